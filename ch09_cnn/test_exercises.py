"""The exercises of chapter 9: the answers pass, stubs are 'not done yet', and known slips are named."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

# 1

BY_HAND = {
    "side 1": 32,
    "side 2": 16,
    "side 3": 7,
    "side 4": 7,
    "parameters 3": 4640,
    "multiplications 3": 225792,
    "receptive field": 18,
}


def by_hand(**wrong):
    """An answer to exercise 1 in which some numbers are wrong (`side_1` for "side 1")."""
    return lambda: BY_HAND | {name.replace("_", " "): value for name, value in wrong.items()}


# 2


def dilated(
    flip=False, turn=False, channels=None, stride_used=True, dilation_used=True, check=True, whole=False
):
    """An answer to exercise 2."""

    def answer(x, w, stride, dilation):
        kernel = w[:, :channels]
        kernel = kernel[:, :, ::-1, ::-1] if flip else kernel.transpose(0, 1, 3, 2) if turn else kernel
        s, d, k = stride if stride_used else 1, dilation if dilation_used else 1, w.shape[2]
        span = d * (k - 1) + 1
        height, width = (x.shape[1] - span) // s + 1, (x.shape[2] - span) // s + 1
        if height < 1 or width < 1:
            if check:
                raise ValueError("too large")
            return np.zeros((len(w), 0, 0))
        out = np.zeros((len(w), height, width), dtype=x.dtype if whole else float)
        for i in range(height):
            for j in range(width):
                window = x[:channels, i * s : i * s + span : d, j * s : j * s + span : d]
                out[:, i, j] = (kernel * window).sum(axis=(1, 2, 3))
        return out

    return answer


def exchanged(x, w, stride, dilation):
    return dilated()(x, w, dilation, stride)


def only_high_enough(x, w, stride, dilation):
    """Looks whether the kernel fits into the height, and lets the width go."""
    if dilation * (w.shape[2] - 1) + 1 > x.shape[1]:
        raise ValueError("too large")
    return dilated(check=False)(x, w, stride, dilation)


# 3


def table_and_map(x, w, stride, order=(1, 2, 0, 3, 4)):
    k = w.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    table = windows.transpose(order).reshape(windows.shape[1] * windows.shape[2], -1)
    image = (windows.transpose(1, 2, 0, 3, 4).reshape(len(table), -1) @ w.reshape(len(w), -1).T).T
    return table, image.reshape(len(w), *windows.shape[1:3])


def as_table(order):
    """An answer to exercise 3 with its table in this order."""
    return lambda x, w, stride: table_and_map(x, w, stride, order)


def turned_table(x, w, stride):
    table, image = table_and_map(x, w, stride)
    return table.T, image


def flat_map(x, w, stride):
    table, _ = table_and_map(x, w, stride)
    return table, table @ w.reshape(len(w), -1).T


def mixed_map(x, w, stride):
    table, image = table_and_map(x, w, stride)
    return table, (table @ w.reshape(len(w), -1).T).reshape(image.shape)


# 4


def right_way_back(x, w, grad_y, overwrite=False):
    grad_x, grad_w = np.zeros_like(x), np.zeros_like(w)
    height, width = grad_y.shape[2:]
    for a in range(w.shape[2]):
        for b in range(w.shape[3]):
            grad_w[:, :, a, b] = np.einsum("bfij,bcij->fc", grad_y, x[:, :, a : a + height, b : b + width])
            part = np.einsum("bfij,fc->bcij", grad_y, w[:, :, a, b])
            place = grad_x[:, :, a : a + height, b : b + width]
            place[...] = part if overwrite else place + part
    return grad_x, grad_w


def way_back(change_x=lambda g: g, change_w=lambda g: g, **how):
    """An answer to exercise 4 with changed gradients."""

    def answer(x, w, grad_y):
        grad_x, grad_w = right_way_back(x, w, grad_y, **how)
        return change_x(grad_x), change_w(grad_w)

    return answer


def unflipped(x, w, grad_y):
    k = w.shape[2] - 1
    padded = F.pad(torch.from_numpy(grad_y), (k, k, k, k))
    return F.conv2d(padded, torch.from_numpy(w).transpose(0, 1)).numpy(), right_way_back(x, w, grad_y)[1]


# 5

RIGHT_WAY = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def sobel(mode="edge", across=RIGHT_WAY, down=RIGHT_WAY.T, size=np.hypot, crop=False, floats=True):
    """An answer to exercise 5."""

    def answer(image):
        padded = np.pad(np.asarray(image, dtype=float) if floats else image, 1, mode=mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
        kind = float if floats else image.dtype
        maps = [(windows * kernel.astype(kind)).sum(axis=(2, 3)) for kernel in (across, down)]
        maps = [part[1:-1, 1:-1] for part in maps] if crop else maps
        return *maps, size(*maps)

    return answer


def bytes_wrap(image):
    if image.dtype == np.uint8:
        return (np.pad(image, 1, mode="edge")[1:-1, 2:] - np.pad(image, 1, mode="edge")[1:-1, :-2],) * 3
    return sobel()(image)


# 6


def pooled_back(share):
    """An answer to exercise 6; share: of windows (..., 4) -> which part each number gets."""

    def answer(x, grad_y):
        n, c, height, width = grad_y.shape
        used = x[:, :, : 2 * height, : 2 * width].reshape(n, c, height, 2, width, 2)
        windows = used.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, height, width, 4)
        flat = share(windows) * grad_y[..., None]
        grad_x = np.zeros(x.shape)
        back = flat.reshape(n, c, height, width, 2, 2).transpose(0, 1, 2, 4, 3, 5)
        grad_x[:, :, : 2 * height, : 2 * width] = back.reshape(n, c, 2 * height, 2 * width)
        return grad_x

    return answer


def largest(windows):
    return windows == windows.max(axis=-1, keepdims=True)


def last_only(windows):
    return np.eye(4)[3 - windows[..., ::-1].argmax(axis=-1)]


def no_winner(windows):
    """The first of the largest, but none where nothing exceeds -inf."""
    return np.eye(4)[windows.argmax(axis=-1)] * np.isfinite(windows)


def even_only(x, grad_y):
    wide = grad_y.repeat(2, axis=2).repeat(2, axis=3)
    assert wide.shape == x.shape, "the shapes do not fit"
    return pooled_back(lambda w: np.eye(4)[w.argmax(axis=-1)])(x, grad_y)


# 7


class Block(nn.Module):
    """A residual block with one thing changed."""

    def __init__(self, n_in, n_out, stride, change):
        super().__init__()
        self.change = change
        bias = change == "bias"
        first, second = (1, stride) if change == "late stride" else (stride, 1)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, first, padding=1, bias=bias)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, second, padding=1, bias=bias)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Identity()
        if stride != 1 or n_in != n_out or change == "always projects":
            layers = [nn.Conv2d(n_in, n_out, 1, stride, bias=bias), nn.BatchNorm2d(n_out)]
            self.shortcut = nn.Sequential(*layers[: 1 if change == "bare projection" else 2])
        if change == "no norm":
            self.norm2 = nn.Identity()

    def forward(self, x):
        inner = self.norm1(self.conv1(x))
        inner = inner if self.change == "no inner ReLU" else F.relu(inner)
        body = self.norm2(self.conv2(inner))
        if self.change == "early ReLU":
            return F.relu(body) + self.shortcut(x)
        if self.change == "two ReLUs":
            return F.relu(body) + F.relu(self.shortcut(x))
        if self.change == "norm last":
            return F.relu(self.norm2(self.conv2(inner) + self.shortcut(x)))
        if self.change == "no sum":
            return F.relu(body + 0 * self.shortcut(x))
        return body + self.shortcut(x) if self.change == "no last ReLU" else F.relu(body + self.shortcut(x))


def block(change):
    """An answer to exercise 7 with one thing changed."""
    return lambda n_in, n_out, stride=1: Block(n_in, n_out, stride, change)


def shortcut_first(n_in, n_out, stride=1):
    """The stride in the second convolution, and the shortcut the first of the modules."""
    made = Block(n_in, n_out, stride, "late stride")
    shortcut = made.shortcut
    del made.shortcut
    layers = {name: made._modules.pop(name) for name in list(made._modules)}
    made._modules.update({"shortcut": shortcut} | layers)
    return made


def never_projects(n_in, n_out, stride=1):
    made = Block(n_in, n_out, stride, "")
    made.shortcut = nn.MaxPool2d(1, stride)
    return made


# 8


def head_trained(freeze=True, evaluate=True, end=True, new=True, learns=True, every=True, numbers=True):
    """An answer to exercise 8."""

    def answer(model, n_classes, x, y, n_steps=30, rate=0.5):
        if freeze:
            model.requires_grad_(False)
        model.train(not evaluate)
        if new:
            model.fc = nn.Linear(16, n_classes)
        elif freeze:
            model.fc.requires_grad_(True)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate * learns)
        losses = []
        for _ in range(n_steps):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item() if numbers else loss)
        model.train(not end)
        return model, losses if every else losses[-1:]

    return answer


# 9 and 10


def named(**wrong):
    """An answer to exercise 9 in which some faults are wrong."""
    return lambda: (
        {"Ada": "softmax twice", "Ben": "flatten before pooling", "Cleo": "inputs not normalized"} | wrong
    )


def started(**wrong):
    """An answer to exercise 10 in which some choices are wrong (`x_rays` for "x-rays")."""
    right = {"mushrooms": "extract", "x-rays": "tune", "shelves": "tune", "search": "extract"}
    return lambda: right | {project.replace("_", "-"): choice for project, choice in wrong.items()}


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "sizes_by_hand": [
        (by_hand(side_1=28), "side 1: without padding"),
        (by_hand(side_2=31), "side 2"),
        (by_hand(side_3=8), "the kernel has to fit in"),
        (by_hand(side_3=14), "the stride is missing"),
        (by_hand(side_4=5), "side 4"),
        (by_hand(parameters_3=4608), "the biases are missing"),
        (by_hand(parameters_3=320), "a kernel for every input channel"),
        (by_hand(multiplications_3=4608), "that is for one place"),
        (by_hand(multiplications_3=14112), "over all input channels"),
        (by_hand(receptive_field=10), "strides widen what later layers see"),
        (by_hand(receptive_field=17), "pooling has a kernel, too"),
        (by_hand(receptive_field=22), "counts for layer 4, not for itself"),
        (by_hand(receptive_field=23), "does not widen its own field"),
    ],
    "dilated_loops": [
        (dilated(flip=True), "the kernel is turned round"),
        (dilated(turn=True), "rows and columns are exchanged"),
        (dilated(channels=1), "only the first channel"),
        (dilated(stride_used=False), "the stride is not used"),
        (dilated(dilation_used=False), "the dilation is not used"),
        (dilated(check=False), "raise a ValueError"),
        (dilated(whole=True), "whole numbers come out whole"),
        (exchanged, "stride and dilation are exchanged"),
        (only_high_enough, "the image has 9 × 8"),
    ],
    "conv_as_product": [
        (turned_table, "the table is transposed"),
        (as_table((1, 2, 3, 4, 0)), "the channels stand inside"),
        (as_table((2, 1, 0, 3, 4)), "in reading order"),
        (as_table((1, 2, 0, 4, 3)), "of each window are exchanged"),
        (flat_map, "has to be turned"),
        (mixed_map, "reshape alone mixes"),
    ],
    "conv_backward": [
        (unflipped, "the kernel has to be flipped"),
        (way_back(overwrite=True), "use +="),
        (way_back(change_x=lambda g: g / 4), "a mean over the filters"),
        (way_back(change_w=lambda g: g / 3), "the mean over the batch"),
        (way_back(change_w=lambda g: g[:, :, ::-1, ::-1]), "it is flipped"),
        (way_back(change_w=lambda g: g.transpose(1, 0, 2, 3)), "filters and channels are exchanged"),
    ],
    "edges": [
        (sobel(across=RIGHT_WAY.T, down=RIGHT_WAY), "the two filters are exchanged"),
        (sobel(across=-RIGHT_WAY), "growth to the right has the wrong sign"),
        (sobel(down=-RIGHT_WAY.T), "growth downwards has the wrong sign"),
        (sobel(mode="constant"), "padded with zeros"),
        (sobel(mode="reflect"), "mirrored"),
        (sobel(crop=True), "smaller than the image"),
        (sobel(size=lambda a, b: np.abs(a) + np.abs(b)), "the sum of the sizes"),
        (sobel(size=lambda a, b: a * a + b * b), "the squared length"),
        (bytes_wrap, "bytes cannot be negative"),
    ],
    "max_pool_backward": [
        (pooled_back(largest), "each of them gets all"),
        (pooled_back(lambda w: largest(w) / largest(w).sum(axis=-1, keepdims=True)), "shared among them"),
        (pooled_back(last_only), "it should be the first"),
        (pooled_back(lambda w: np.ones(w.shape)), "every number of a window"),
        (pooled_back(lambda w: np.full(w.shape, 0.25)), "average pooling"),
        (pooled_back(no_winner), "the window of -inf has a largest number"),
        (even_only, "the shapes do not fit"),
    ],
    "residual_block": [
        (block("bias"), "bias=False"),
        (block("no norm"), "each convolution has a batch norm"),
        (block("bare projection"), "each convolution has a batch norm"),
        (block("no last ReLU"), "no ReLU after the sum"),
        (block("norm last"), "not ReLU(norm(conv"),
        (block("early ReLU"), "added after the last ReLU"),
        (block("two ReLUs"), "added after the last ReLU"),
        (block("no inner ReLU"), "no ReLU between the convolutions"),
        (block("no sum"), "the shortcut is missing"),
        (block("always projects"), "the shortcut needs no convolution"),
        (block("late stride"), "the first convolution carries the stride"),
        (shortcut_first, "the first convolution carries the stride"),
        (lambda n_in, n_out, stride=1: nn.Conv2d(n_in, n_out, 3, stride, 1), "two convolutions 3 × 3"),
        (lambda n_in, n_out, stride=1: lambda x: x, "should be an nn.Module"),
    ],
    "train_new_head": [
        (head_trained(freeze=False), "weights below the head have moved"),
        (head_trained(evaluate=False), "running statistics have moved"),
        (head_trained(end=False), "returned in training mode"),
        (head_trained(new=False), "still the layer for 100 classes"),
        (head_trained(learns=False), "does fc learn?"),
        (head_trained(every=False), "a loss for each of 30 steps"),
    ],
    "three_faults": [
        (named(Ada="no nonlinearity"), "Ada: that would mean"),
        (named(Ben="softmax twice"), "Ben: that would mean"),
        (named(Cleo="weights all zero"), "Cleo: that would mean"),
        (named(Cleo="labels shuffled"), "in the order of the images"),
        (named(Cleo="bad luck"), "is not in FAULTS"),
        (named(Dora="softmax twice"), "'Dora' is none of"),
        (lambda: {"Ada": "softmax twice"}, "no answer for Ben, Cleo"),
    ],
    "how_to_start": [
        (started(mushrooms="tune"), "mushrooms: 100 photos"),
        (started(mushrooms="scratch"), "mushrooms: 100 photos are few"),
        (started(x_rays="extract"), "x-rays: the features"),
        (started(shelves="scratch"), "shelves: these photos resemble"),
        (started(shelves="extract"), "shelves: 8,000 labels"),
        (started(search="tune"), "no labels to tune with"),
        (started(search="guess"), "none of the three"),
        (lambda: {"mushrooms": "extract"}, "no answer for x-rays, shelves, search"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


def test_losses_may_be_tensors_with_their_history(exercises):
    assert exercises.verdict_on("train_new_head", head_trained(numbers=False)) == "done"


def test_either_start_is_accepted_for_the_x_rays(exercises):
    assert exercises.verdict_on("how_to_start", started(x_rays="scratch")) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even if a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    assert says in exercises.verdict_on(name, wrong)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)
