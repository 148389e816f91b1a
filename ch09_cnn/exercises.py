# %% [markdown]
# # 9 Exercises: convolutions, blocks and borrowed networks
#
# Ten exercises, from output sizes on paper to the decision whether a pretrained network should be tuned.
# Each function returns `...` as it stands. Put your code there, run the cell, then run the cell after it.
# It answers _done_, _not done yet_, or what your answer gets wrong. Nothing stops, so take them in any
# order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 9. The answers, each with its reason, are in `solutions.py`.

# %%
import traceback
from itertools import permutations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# The next cell is the machine that answers. You need not read it.

# %%
verdicts = {}


class NotDone(Exception):
    """The answer still has `...` in it."""


def unfinished(result):
    """Whether there is a `...` anywhere in what an answer returned."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return any(unfinished(part) for part in result)
    return result is ...


def verdict(check, answer):
    """What `check` finds about `answer`: 'done', 'not done yet', or what is wrong with it."""

    def asked(*args, **kwargs):
        result = answer(*args, **kwargs)
        if unfinished(result):
            raise NotDone
        return result

    try:
        check(asked)
    except NotDone:
        return "not done yet"
    except AssertionError as error:
        return "not right yet: " + str(error).partition("\n")[0]  # pytest adds lines of its own
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.line for frame in frames if frame.name == getattr(answer, "__name__", None)]
        where = f", in your line {lines[-1]!r}" if lines else ""
        return f"stops with {type(error).__name__}: {error}{where}"
    return "done"


def exercise(check):
    """Judge the answer that `check` is named after, and print the verdict."""
    name = check.__name__.removeprefix("check_")
    verdicts[name] = verdict(check, globals()[name])
    print(f"{name:24s}{verdicts[name]}")
    return check


def compare(got, expected, slips=()):
    """Pass if got is expected; else fail with the slip that gives the same numbers, if there is one."""
    if hasattr(got, "detach"):
        got = got.detach().cpu()  # a tensor that records its history does not become an array by itself
    got = np.asarray(got, dtype=float)
    expected = np.asarray(expected, dtype=float)
    for what, wrong in ((None, expected), *slips):
        if got.shape == np.shape(wrong) and np.allclose(got, wrong, rtol=1e-6, atol=1e-9):
            if what is None:
                return
            raise AssertionError(what)
    assert got.shape == expected.shape, f"the shape is {got.shape}, and should be {expected.shape}"
    assert np.isfinite(got).all(), "not all of the numbers are finite"
    worst = np.unravel_index(np.abs(got - expected).argmax(), got.shape)
    if not worst:  # a single number: say the direction, for the number itself would be the answer
        raise AssertionError(f"you have {got:.6g}, it should be {'larger' if got < expected else 'smaller'}")
    place = ", ".join(str(int(i)) for i in worst)
    raise AssertionError(f"at [{place}] you have {got[worst]:.6g}, it should be {expected[worst]:.6g}")


def summary():
    """How many exercises are done."""
    n_done = sum(state == "done" for state in verdicts.values())
    return f"{n_done} of {len(verdicts)} exercises done"


# %% [markdown]
# ## 1 Sizes and receptive fields
#
# About fifteen minutes, with pencil and paper. An image of 3 channels and 32 × 32 pixels goes through
#
# 1. a convolution with 16 filters, kernel 5, padding 2, stride 1,
# 2. max pooling with windows of 2 × 2, stride 2,
# 3. a convolution with 32 filters, kernel 3, no padding, stride 2,
# 4. a convolution with 64 filters, kernel 3, padding 1, stride 1.
#
# Fill in the side of the (square) map after each layer, how many weights and biases layer 3 has, how many
# multiplications it makes for one image, and the receptive field: how many pixels wide is the part of the
# image on which one number after layer 4 depends (9.1)?


# %%
def sizes_by_hand():
    """The sides of the maps, the cost of layer 3, and the receptive field after layer 4 (pixels)."""
    return {
        "side 1": ...,
        "side 2": ...,
        "side 3": ...,
        "side 4": ...,
        "parameters 3": ...,
        "multiplications 3": ...,
        "receptive field": ...,
    }


# %%
@exercise
def check_sizes_by_hand(answer):
    got = answer()
    layers = [nn.Conv2d(3, 16, 5, padding=2), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, stride=2)]
    layers.append(nn.Conv2d(32, 64, 3, padding=1))
    slips = {
        1: [("side 1: without padding; two pixels on every side make up for a kernel of five", 28)],
        2: [("side 2: windows of two that do not overlap halve the side", 31)],
        3: [
            ("side 3: the kernel has to fit in: (16 - 3) // 2 + 1", 8),
            ("side 3: round down, for the last pixel has no whole window", 7.5),
            ("side 3: the stride is missing", 14),
        ],
        4: [("side 4: a padding of one makes up for a kernel of three", 5)],
    }
    x = torch.zeros(1, 3, 32, 32)
    for i, layer in enumerate(layers, start=1):
        x = layer(x)
        compare(got[f"side {i}"], x.shape[-1], slips[i])
    slips = [
        ("parameters 3: the biases are missing", 32 * 16 * 9),
        ("parameters 3: each filter has a kernel for every input channel", 32 * 9 + 32),
        ("parameters 3: a weight is shared by all places, so the map's size does not count", 4640 * 49),
        ("parameters 3: one bias for each filter, not for each kernel", 32 * 16 * 10),
    ]
    compare(got["parameters 3"], sum(p.numel() for p in layers[2].parameters()), slips)
    slips = [
        ("multiplications 3: count the places of the output, not of the input", 16 * 16 * 32 * 16 * 9),
        ("multiplications 3: that is for one place of the map", 32 * 16 * 9),
        ("multiplications 3: each filter runs over all input channels", 7 * 7 * 32 * 9),
    ]
    compare(got["multiplications 3"], 7 * 7 * 32 * 16 * 9, slips)
    pixels = torch.zeros(1, 3, 32, 32, requires_grad=True)
    pooled = F.avg_pool2d(layers[0](pixels), 2)  # an average depends on all pixels that a maximum may need
    layers[3](layers[2](pooled))[0, 0, 3, 3].backward()
    columns = (pixels.grad[0].abs().sum(dim=(0, 1)) > 0).sum().item()
    slips = [
        (
            "receptive field: strides widen what later layers see: add (kernel - 1) times all strides before",
            10,
        ),
        ("receptive field: pooling has a kernel, too", 17),
        ("receptive field: the stride of layer 3 counts for layer 4, not for itself", 22),
        ("receptive field: a layer's own stride does not widen its own field", 23),
    ]
    compare(got["receptive field"], columns, slips)


# %% [markdown]
# ## 2 A convolution with holes
#
# About twenty minutes. A dilated convolution leaves holes in its kernel: with a dilation of $d$
# neighbouring weights lie $d$ pixels apart in the image, so the kernel sees further with the same number
# of weights. With a stride of $s$:
#
# $$y_{f, i, j} = \sum_{c, a, b} w_{f, c, a, b}\; x_{c,\; s i + d a,\; s j + d b}$$
#
# Write it with loops, as the formula reads, for one image, without padding. If the kernel does not fit
# into the image, raise a `ValueError`.


# %%
def dilated_loops(x, w, stride, dilation):
    """The map (F, H', W') of image x (C, H, W) under filters w (F, C, k, k); in float64."""
    return ...


# %%
@exercise
def check_dilated_loops(answer):
    rng = np.random.default_rng(92)
    x, w = rng.normal(size=(2, 8, 9)), rng.normal(size=(3, 2, 3, 3))

    def library(x, w, stride=1, dilation=1):
        image, filters = torch.from_numpy(x[None]), torch.from_numpy(w.copy())
        return F.conv2d(image, filters, stride=stride, dilation=dilation)[0].numpy()

    slips = [
        (
            "the kernel is turned round: in a network's convolution it is not flipped",
            library(x, w[:, :, ::-1, ::-1]),
        ),
        ("the kernel's rows and columns are exchanged", library(x, w.transpose(0, 1, 3, 2))),
        ("only the first channel is seen", library(x[:1], w[:, :1])),
    ]
    compare(answer(x, w, 1, 1), library(x, w), slips)
    slips = [
        ("the stride is not used", library(x, w)),
        ("stride and dilation are exchanged", library(x, w, 1, 2)),
    ]
    compare(answer(x, w, 2, 1), library(x, w, 2), slips)
    compare(answer(x, w, 1, 2), library(x, w, 1, 2), [("the dilation is not used", library(x, w))])
    compare(answer(x, w, 3, 2), library(x, w, 3, 2))
    compare(answer(x, w[:, :, :1, :1], 2, 4), library(x, w[:, :, :1, :1], 2))
    whole = 2 * np.arange(16).reshape(1, 4, 4)
    ninth = np.full((1, 1, 3, 3), 1 / 18)
    right = [[[5.0, 6], [9, 10]]]
    got = answer(whole, ninth, 1, 1)
    cut_off = (
        np.shape(got) == (1, 2, 2)
        and (np.asarray(got) == np.trunc(got)).all()
        and not np.allclose(got, right)
    )
    assert not cut_off, "whole numbers come out whole: the result needs floats"
    compare(got, right)
    for image in (x, x.transpose(0, 2, 1)):  # 8 pixels high and 9 wide, then 9 high and 8 wide
        try:
            got = answer(image, w, 1, 4)
        except ValueError:
            continue
        raise AssertionError(
            f"with a dilation of 4 the kernel spans 9 × 9 pixels and the image has {image.shape[1]} × "
            f"{image.shape[2]}; you return {np.shape(got)}, raise a ValueError"
        )


# %% [markdown]
# ## 3 A convolution as one product
#
# About twenty minutes. Libraries often write the windows of an image into the rows of a table, so that
# the convolution becomes one matrix product. Return the table and the map. The table has one row for
# each place of the output, in reading order (from left to right, then the line below). In a row the
# window's numbers stand in the order $c, a, b$: channel, row in the window, column in it. There is no
# padding and no dilation.


# %%
def conv_as_product(x, w, stride):
    """(the table (H'·W', C·k·k), the map (F, H', W')) of image x (C, H, W) and filters w (F, C, k, k)."""
    return ..., ...


# %%
@exercise
def check_conv_as_product(answer):
    rng = np.random.default_rng(93)
    x, w = rng.normal(size=(2, 5, 6)), rng.normal(size=(3, 2, 3, 3))
    for stride in (1, 2):
        table, image = answer(x, w, stride)
        right = F.conv2d(torch.from_numpy(x[None]), torch.from_numpy(w), stride=stride)[0].numpy()
        rows = F.unfold(torch.from_numpy(x[None]), 3, stride=stride)[0].T.numpy()  # (H'·W', C·k·k)
        parts = rows.reshape(*right.shape[1:], 2, 3, 3)  # (H', W', C, k, k)
        slips = [
            ("the table is transposed: one row for each place", rows.T),
            (
                "the channels stand inside the window: the order is c, a, b",
                parts.transpose(0, 1, 3, 4, 2).reshape(-1, 18),
            ),
            (
                "the places run down the columns; take them in reading order, line by line",
                parts.transpose(1, 0, 2, 3, 4).reshape(-1, 18),
            ),
            (
                "rows and columns of each window are exchanged",
                parts.transpose(0, 1, 2, 4, 3).reshape(-1, 18),
            ),
        ]
        compare(table, rows, slips)
        product = rows @ w.reshape(3, 18).T  # (H'·W', F)
        slips = [
            ("the product is right, and has to be turned: filters first, then rows and columns", product),
            (
                "reshape alone mixes filters and places: transpose the product first",
                product.reshape(right.shape),
            ),
        ]
        compare(image, right, slips)


# %% [markdown]
# ## 4 Back through a convolution
#
# About forty minutes. The batch `x` (B, C, H, W) went through a convolution with stride 1 and without
# padding. Given $\partial L / \partial y$, return the gradients of the images and of the filters. Loops
# over the kernel's few positions are welcome: for each of them, input and output are two arrays that meet
# in a product.


# %%
def conv_backward(x, w, grad_y):
    """(dL/dx (B, C, H, W), dL/dw (F, C, k, k)) from x, w and dL/dy (B, F, H', W')."""
    return ..., ...


# %%
def overwritten(w, grad_y):
    """dL/dx in which each pixel has only what its last kernel position gave it."""
    k = w.shape[2]
    height, width = grad_y.shape[2:]
    last_a = np.minimum(np.arange(height + k - 1), k - 1)
    last_b = np.minimum(np.arange(width + k - 1), k - 1)
    i = np.arange(height + k - 1) - last_a
    j = np.arange(width + k - 1) - last_b
    return np.einsum("bfij,fcij->bcij", grad_y[:, :, i[:, None], j], w[:, :, last_a[:, None], last_b])


@exercise
def check_conv_backward(answer):
    rng = np.random.default_rng(94)
    x, w = torch.from_numpy(rng.normal(size=(3, 2, 5, 6))), torch.from_numpy(rng.normal(size=(4, 2, 3, 3)))
    x.requires_grad_()
    w.requires_grad_()
    y = F.conv2d(x, w)
    grad = torch.from_numpy(rng.normal(size=tuple(y.shape)))
    right_x, right_w = (g.numpy() for g in torch.autograd.grad(y, (x, w), grad))
    numbers = [array.detach().numpy() for array in (x, w, grad)]
    with torch.no_grad():
        padded = F.pad(grad, (2, 2, 2, 2))
        turned = F.conv2d(padded, w.transpose(0, 1)).numpy()
    got_x, got_w = answer(*[array.copy() for array in numbers])
    slips = [
        ("dL/dx: the kernel has to be flipped on the way back", turned),
        ("dL/dx: later windows overwrite what earlier ones added: use +=", overwritten(*numbers[1:])),
        ("dL/dx: a mean over the filters; their gradients add up", right_x / 4),
    ]
    compare(got_x, right_x, slips)
    slips = [
        ("dL/dw: the mean over the batch; the loss has taken its mean already", right_w / 3),
        ("dL/dw: it is flipped", right_w[:, :, ::-1, ::-1]),
        ("dL/dw: filters and channels are exchanged", right_w.transpose(1, 0, 2, 3)),
    ]
    compare(got_w, right_w, slips)


# %% [markdown]
# ## 5 An edge detector
#
# About fifteen minutes. Sobel's filters measure how fast the brightness grows to the right and downwards,
# each averaged a little across:
#
# $$\begin{pmatrix} -1 & 0 & 1 \\ -2 & 0 & 2 \\ -1 & 0 & 1 \end{pmatrix}, \qquad
#   \begin{pmatrix} -1 & -2 & -1 \\ 0 & 0 & 0 \\ 1 & 2 & 1 \end{pmatrix} .$$
#
# Return both maps and the strength of the edge, the length of the vector of the two. The maps are to be as
# large as the image, and the image's border must not show up as an edge: repeat the outermost pixels
# around it instead of padding with zeros (`np.pad` has a mode for it). Pictures come as whole numbers from
# 0 to 255 (`uint8`), too.


# %%
def edges(image):
    """(growth to the right, growth downwards, strength), all (H, W) floats, of image (H, W)."""
    return ..., ..., ...


# %%
@exercise
def check_edges(answer):
    image = np.random.default_rng(95).normal(size=(5, 7)).cumsum(axis=1)
    right_way = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])

    def filtered(kernel, mode="replicate"):
        padded = F.pad(torch.from_numpy(image)[None, None], (1, 1, 1, 1), mode=mode)
        return F.conv2d(padded, torch.from_numpy(kernel.copy())[None, None])[0, 0].numpy()

    across, down, strength = answer(image)
    slips = [
        ("the two filters are exchanged: the first map grows to the right", filtered(right_way.T)),
        ("growth to the right has the wrong sign: the kernel is flipped", -filtered(right_way)),
        ("the border is padded with zeros and shows up as an edge", filtered(right_way, "constant")),
        ("the border is mirrored; repeat the outermost pixels", filtered(right_way, "reflect")),
        ("the maps are smaller than the image: pad it", filtered(right_way)[1:-1, 1:-1]),
    ]
    compare(across, filtered(right_way), slips)
    compare(down, filtered(right_way.T), [("growth downwards has the wrong sign", -filtered(right_way.T))])
    length = np.hypot(across, down)
    slips = [
        (
            "that is the sum of the sizes; the length of a vector has squares and a root",
            np.abs(across) + np.abs(down),
        ),
        ("that is the squared length", length**2),
        ("that is the larger of the two", np.maximum(np.abs(across), np.abs(down))),
    ]
    compare(strength, length, slips)
    pixels = np.array([[200, 0, 200]] * 3, dtype=np.uint8)
    got = answer(pixels)[0]
    assert np.asarray(got).min() < 0, "bytes cannot be negative: 0 - 200 wraps round. Turn them into floats"
    compare(got, [[-800.0, 0, 800]] * 3)


# %% [markdown]
# What does your detector make of a boot? If the exercise is done, the figure shows it.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    boot = archive["train_images"][archive["train_labels"] == 9][0]  # (28, 28), bytes
if verdicts["edges"] == "done":
    fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    across, down, strength = edges(boot)
    for ax, picture, name in zip(
        axes, (boot, across, down, strength), ("image", "to the right", "down", "strength")
    ):
        signed = name in ("to the right", "down")
        ax.imshow(
            picture,
            cmap="RdBu" if signed else "gray",
            vmin=-1000 if signed else None,
            vmax=1000 if signed else None,
        )
        ax.set(title=name, xticks=[], yticks=[])
    plt.show()

# %% [markdown]
# In the signed maps an edge from dark to bright and one from bright to dark have opposite colours. Their
# strength no longer tells them apart.

# %% [markdown]
# ## 6 Back through max pooling
#
# About twenty minutes. Windows of 2 × 2 do not overlap, and an odd last row or column belongs to no
# window (9.2). On the way back each window's gradient goes to its largest number, and if several are
# equally large, to the _first_ of them alone, in reading order. Some windows consist of $-\infty$ only,
# so in them all four are equally large. The batch may be empty.


# %%
def max_pool_backward(x, grad_y):
    """dL/dx, of the shape of x (B, C, H, W), from dL/dy (B, C, H // 2, W // 2)."""
    return ...


# %%
@exercise
def check_max_pool_backward(answer):
    rng = np.random.default_rng(96)
    x = rng.integers(0, 3, (2, 2, 4, 6)).astype(float)  # many ties
    x[0, 0, :2, :2] = -np.inf
    grad = rng.normal(size=(2, 2, 2, 3))

    def library(x, grad):
        leaf = torch.from_numpy(x).requires_grad_()
        return torch.autograd.grad(F.max_pool2d(leaf, 2), leaf, torch.from_numpy(grad))[0].numpy()

    wide = grad.repeat(2, axis=2).repeat(2, axis=3)
    tops = x.reshape(2, 2, 2, 2, 3, 2).max(axis=(3, 5)).repeat(2, axis=2).repeat(2, axis=3)
    largest = x == tops
    count = largest.reshape(2, 2, 2, 2, 3, 2).sum(axis=(3, 5)).repeat(2, axis=2).repeat(2, axis=3)
    last = library(x[..., ::-1, ::-1].copy(), grad[..., ::-1, ::-1].copy())[..., ::-1, ::-1]
    slips = [
        ("equals: each of them gets all of the gradient; only the first may have it", wide * largest),
        ("equals: the gradient is shared among them; the first gets all of it", wide * largest / count),
        ("equals: the last of them gets it, it should be the first", last),
        ("every number of a window gets the gradient", wide),
        ("that is the way back through average pooling", wide / 4),
    ]
    right = library(x, grad)
    forgotten = right.copy()
    forgotten[0, 0, :2, :2] = 0
    slips.append(("the window of -inf has a largest number, too: its first", forgotten))
    compare(answer(x.copy(), grad), right, slips)
    odd = rng.normal(size=(1, 2, 5, 3))
    compare(answer(odd, grad[:1, :, :, :1]), library(odd, np.ascontiguousarray(grad[:1, :, :, :1])))
    got = answer(np.zeros((0, 2, 4, 4)), np.zeros((0, 2, 2, 2)))
    assert np.shape(got) == (0, 2, 4, 4), (
        f"an empty batch has an empty gradient, yours has shape {np.shape(got)}"
    )


# %% [markdown]
# ## 7 A residual block
#
# About thirty minutes, from a blank cell. The block is the one of He and others (2016): two convolutions
# 3 × 3 without biases, each followed by batch norm, with a ReLU between them; then the shortcut is added,
# and the last ReLU comes after the sum. The first convolution carries the stride. If the shortcut
# would not fit, because the stride is not one or the channels change, it is a convolution 1 × 1 with the
# same stride, without a bias, and batch norm. Otherwise it is the input itself. Return an `nn.Module`.


# %%
def residual_block(n_in, n_out, stride=1):
    """A module from (B, n_in, H, W) to (B, n_out, H / stride, W / stride), rounded up."""
    return ...


# %%
def by_the_paper(x, convolutions, norms):
    """{what the block does: its output (B, C, H', W')}, the right one and some that are not."""
    first, second = [layer for layer in convolutions if layer.kernel_size == (3, 3)]
    short = [layer for layer in convolutions if layer.kernel_size == (1, 1)]
    outputs = {}
    for order in permutations(norms):
        inner = F.relu(order[0](first(x)))
        body = order[1](second(inner))
        shortcut = order[2](short[0](x)) if short else x
        outputs.setdefault("right", []).append(F.relu(body + shortcut))
        for late in (shortcut, F.relu(shortcut)):
            outputs.setdefault("the shortcut is added after the last ReLU, not before it", []).append(
                F.relu(body) + late
            )
        outputs.setdefault("there is no ReLU after the sum", []).append(body + shortcut)
        outputs.setdefault("there is no ReLU between the convolutions", []).append(
            F.relu(order[1](second(order[0](first(x)))) + shortcut)
        )
        outputs.setdefault("the shortcut is missing", []).append(F.relu(body))
        if short:
            outputs.setdefault("the projection of the shortcut has no norm", []).append(
                F.relu(body + short[0](x))
            )
    return outputs


@exercise
def check_residual_block(answer):
    torch.manual_seed(97)
    for n_in, n_out, stride in ((4, 4, 1), (4, 8, 2), (4, 4, 2), (4, 8, 1)):
        asked = f"residual_block({n_in}, {n_out}, {stride})"
        block = answer(n_in, n_out, stride)
        assert isinstance(block, nn.Module), f"{asked} should be an nn.Module, it is a {type(block).__name__}"
        x = torch.randn(2, n_in, 5, 5)
        out = block(x)
        side = -(-5 // stride)
        assert out.shape == (2, n_out, side, side), f"{asked} makes (2, {n_in}, 5, 5) into {tuple(out.shape)}"
        convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in block.modules() if isinstance(layer, nn.BatchNorm2d)]
        projects = stride != 1 or n_in != n_out
        kernels = sorted(layer.kernel_size[0] for layer in convolutions)
        assert kernels.count(3) == 2, (
            f"{asked}: there should be two convolutions 3 × 3, kernels are {kernels}"
        )
        if not projects:
            assert 1 not in kernels, f"{asked}: the input fits, so the shortcut needs no convolution"
        else:
            assert kernels.count(1) == 1, f"{asked}: the shortcut needs a convolution 1 × 1"
        assert all(layer.bias is None for layer in convolutions), (
            f"{asked}: a bias before batch norm is taken out again: bias=False"
        )
        assert len(norms) == len(convolutions), f"{asked}: each convolution has a batch norm"
        first = next(layer for layer in convolutions if layer.kernel_size == (3, 3))
        assert first.stride == (stride, stride), f"{asked}: the first convolution carries the stride"
        for norm in norms:  # so that no two norms do the same, and a ReLU in the wrong place is seen
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
        block.eval()
        with torch.no_grad():
            got = block(x)
            found = by_the_paper(x, convolutions, norms)
        what = [
            name for name, outputs in found.items() if any(torch.allclose(got, o, atol=1e-5) for o in outputs)
        ]
        assert what, f"{asked}: the output is not ReLU(norm(conv(ReLU(norm(conv(x))))) + shortcut)"
        assert "right" in what, f"{asked}: {what[0]}"


# %% [markdown]
# ## 8 A new head on a frozen network
#
# About twenty minutes. `Pretrained` stands for a network that was trained on a hundred classes and has
# batch norm in it. Give it a new last layer `fc` for `n_classes`, and train that layer alone with SGD on
# the whole of `x`, `y` for some steps. Nothing else of the network may change, not its weights and not its
# running statistics. Return the network in evaluation mode and the loss before each step.


# %%
class Pretrained(nn.Module):
    """Features from images (B, 1, 8, 8), and a last layer `fc` for 100 classes."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.fc = nn.Linear(16, 100)

    def forward(self, x):
        return self.fc(self.features(x))


# %%
def train_new_head(model, n_classes, x, y, n_steps=30, rate=0.5):
    """(the model in evaluation mode, with a new and trained `fc`; the loss before each step)."""
    return ..., ...


# %%
@exercise
def check_train_new_head(answer):
    torch.manual_seed(98)
    model = Pretrained().eval()
    x = torch.randn(40, 1, 8, 8)
    x[20:] = x[20:].cumsum(dim=-1)
    y = torch.tensor([0] * 20 + [1] * 20)
    weights = {name: value.clone() for name, value in model.features.named_parameters()}
    statistics = {name: value.clone() for name, value in model.features.named_buffers()}
    old_head = model.fc
    trained, losses = answer(model, 2, x, y)
    assert trained.fc is not old_head and trained.fc.out_features == 2, (
        "fc is still the layer for 100 classes"
    )
    assert trained.fc.in_features == 16, "the new fc takes the 16 features"
    moved = [
        name for name, value in trained.features.named_parameters() if not torch.equal(value, weights[name])
    ]
    assert not moved, (
        f"weights below the head have moved ({moved[0]}): freeze them, or give only fc to the optimizer"
    )
    moved = [
        name for name, value in trained.features.named_buffers() if not torch.equal(value, statistics[name])
    ]
    assert not moved, f"running statistics have moved ({moved[0]}): in train mode batch norm goes on learning"
    assert not trained.training, "the model is returned in training mode"
    assert len(losses) == 30, f"there should be a loss for each of 30 steps, there are {len(losses)}"
    losses = [torch.as_tensor(loss).detach().item() for loss in losses]  # numbers, or tensors with a history
    assert losses[-1] < 0.9 * losses[0], (
        f"the loss goes from {losses[0]:.2f} to {losses[-1]:.2f}: does fc learn?"
    )
    with torch.no_grad():
        now = F.cross_entropy(trained(x), y).item()
    assert now < 0.9 * losses[0], (
        "in evaluation the head that is returned is no better than the untrained one"
    )


# %% [markdown]
# ## 9 Three networks, three faults
#
# About twenty minutes. Three colleagues train the same kind of network on 600 Fashion-MNIST images. Each
# made one mistake. Read the code, look at the losses (the next cell prints them as means of twenty steps,
# from left to right), examine the networks in cells of your own, and name the mistakes.

# %%
FAULTS = {
    "flatten before pooling": "pooling runs over the flat row of numbers, across the ends of an image's rows",
    "inputs not normalized": "pixels from 0 to 255 go in as they are",
    "softmax twice": "the network ends with a softmax, and the loss takes another one",
    "no nonlinearity": "there is no ReLU between the convolutions",
    "weights all zero": "every filter starts at zero",
    "labels shuffled": "images have other images' labels",
}
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    fashion_x = torch.from_numpy(archive["train_images"][:600]).float()[:, None]  # (600, 1, 28, 28), 0 to 255
    fashion_y = torch.from_numpy(archive["train_labels"][:600]).long()  # (600,)


def network_of_ada():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16 * 49, 10), nn.Softmax(dim=1)),
    )


def network_of_ben():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.MaxPool1d(4), nn.Linear(196, 10)),
    )


def network_of_cleo():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16 * 49, 10)),
    )


def train_theirs(model, x, rate=0.1, n_steps=120):
    """The losses of SGD on batches of 50, one for each step."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for _ in range(n_steps):
        batch = torch.randint(len(x), (50,))
        loss = F.cross_entropy(model(x[batch]), fashion_y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


SCALED = (fashion_x / 255 - 0.29) / 0.35  # mean 0 and standard deviation 1, about
torch.manual_seed(0)
colleagues = {
    "Ada": (network_of_ada(), SCALED),
    "Ben": (network_of_ben(), SCALED),
    "Cleo": (network_of_cleo(), fashion_x),
}
for colleague, (network, images) in colleagues.items():
    seen = train_theirs(network, images)
    print(f"{colleague:8s}" + "".join(f"{np.mean(seen[i : i + 20]):12.3g}" for i in range(0, 120, 20)))


# %%
def three_faults():
    """For each colleague a name from FAULTS."""
    return {"Ada": ..., "Ben": ..., "Cleo": ...}


# %%
def evidence(network, images):
    """{fault: (whether it is there, what was looked at)} for a network and the images it is given."""
    kinds = [type(layer).__name__ for layer in network]
    out = network(images[:100]).detach()
    pools = [i for i, kind in enumerate(kinds) if "Pool" in kind]
    flat = kinds.index("Flatten")
    sums = out.sum(dim=1)
    return {
        "flatten before pooling": (any(i > flat for i in pools), f"the layers are {', '.join(kinds)}"),
        "inputs not normalized": (
            images.std() > 10,
            f"the pixels have a standard deviation of {images.std():.2g}",
        ),
        "softmax twice": (
            bool(torch.allclose(sums, torch.ones(100), atol=1e-4)),
            f"the outputs of an image add up to {sums[0]:.3g}",
        ),
        "no nonlinearity": ("ReLU" not in kinds, f"the layers are {', '.join(kinds)}"),
        "weights all zero": (
            not network[0].weight.any(),
            f"the filters have a spread of {network[0].weight.std():.2g}",
        ),
        "labels shuffled": (False, "all three take their labels from fashion_y, in the order of the images"),
    }


@exercise
def check_three_faults(answer):
    named_faults = answer()
    missing = [colleague for colleague in colleagues if colleague not in named_faults]
    assert not missing, f"there is no answer for {', '.join(missing)}"
    for colleague, fault in named_faults.items():
        assert fault in FAULTS, f"{colleague}: {fault!r} is not in FAULTS"
        assert colleague in colleagues, f"{colleague!r} is none of {', '.join(colleagues)}"
        there, seen = evidence(*colleagues[colleague])[fault]
        assert there, f"{colleague}: that would mean that {FAULTS[fault]}, but {seen}"


# %% [markdown]
# ## 10 Extract, tune, or start anew?
#
# About ten minutes. For each of four projects choose `"extract"` (frozen features, and on them whatever is
# needed, such as a new last layer), `"tune"` (start from the pretrained weights and train them, too) or
# `"scratch"` (a network of one's own from random weights). The pretrained network was trained on the
# photos of ImageNet. A wrong choice is answered by what speaks against it, where possible by what lesson
# 9.5 measured. For one of the projects two choices are sensible, and either is accepted.
#
# - `"mushrooms"`: 20 colour photos of each of five kinds of mushroom, and an afternoon.
# - `"x-rays"`: 200,000 labelled grey pictures of chests, unlike any photo of ImageNet, and a week on eight
#   GPUs.
# - `"shelves"`: 8,000 sharp colour photos of a supermarket's shelves, with labels, and a day on one GPU.
# - `"search"`: a million photos of all kinds, without labels; similar ones are to be found.


# %%
def how_to_start():
    """For each project "extract", "tune" or "scratch"."""
    return {"mushrooms": ..., "x-rays": ..., "shelves": ..., "search": ...}


# %%
AGAINST = {
    ("mushrooms", "tune"): (
        "100 photos would tune a million weights or more. In lesson 9.5, tuning on 100 labels gained nothing "
        "sure over frozen features, and lost several points where a rate was too high"
    ),
    ("mushrooms", "scratch"): (
        "100 photos are few for learning what an edge or a texture is. In lesson 9.5, the network from "
        "scratch stayed behind frozen features with 100 labels, and even with 1,000"
    ),
    ("x-rays", "extract"): (
        "the features were learned from photos of another kind (in lesson 9.5 the frozen network was last on "
        "noisy images), and there are labels and machines enough to change them"
    ),
    ("shelves", "extract"): (
        "8,000 labels can move the weights without spoiling them. In lesson 9.5, a trial with 4,000 labels "
        "gained a point or two"
    ),
    ("shelves", "scratch"): (
        "these photos resemble those of ImageNet, and 8,000 are few beside its million. In lesson 9.5, the "
        "network from scratch stayed behind on clean images at every number of labels"
    ),
    ("search", "tune"): "there are no labels to tune with",
    ("search", "scratch"): "there are no labels to train with",
}


@exercise
def check_how_to_start(answer):
    chosen = answer()
    missing = [project for project in ("mushrooms", "x-rays", "shelves", "search") if project not in chosen]
    assert not missing, f"there is no answer for {', '.join(missing)}"
    for project, choice in chosen.items():
        assert choice in ("extract", "tune", "scratch"), f"{project}: {choice!r} is none of the three"
        assert (project, choice) not in AGAINST, f"{project}: {AGAINST[project, choice]}"


# %% [markdown]
# ## Where you are

# %%
print(summary())
