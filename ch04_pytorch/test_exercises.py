"""The exercises of chapter 4: the answers pass, stubs are 'not done yet', and known slips are named."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

# 1 and 2 and 6: dictionaries with one entry changed

PUZZLES = {
    "column": ((3,), (4,), 1),
    "diagonal": ((3,), (5,), 0),
    "repeated row": ((2, 4), (0, 1), 8),
    "patches": ((2, 3, 2, 2), (4, 1, 4, 1), 0),
}
SHAPES = {
    "a - b": (5, 3),
    "a - c": "error",
    "d - c": (5, 5),
    "a - a.mean(dim=1, keepdim=True)": (5, 3),
    "e.sum(dim=1) * b": (2, 3),
    "torch.stack([a, a], dim=1)": (5, 2, 3),
    "torch.cat([a, d], dim=1)": (5, 4),
    "torch.einsum('ij,kij->k', a, e)": (2,),
}
LOOPS = {"loop_1": "mode", "loop_2": "replaced", "loop_3": "graph", "loop_4": "pairs", "loop_5": "broadcast"}


def changed(answers, **entries):
    return lambda: {**answers, **{name.replace("_", " "): value for name, value in entries.items()}}


def changed_entry(answers, name, value):
    return lambda: {**answers, name: value}


# 3: layers of low rank with one slip each


def low_rank(
    wrap=nn.Parameter, use_bias=True, bend=False, turned=False, narrow=True, spread=1.0, detach=False
):
    class Layer(nn.Module):
        def __init__(self, n_in, n_out, rank):
            super().__init__()
            down = torch.empty(rank, n_in).uniform_(-1, 1) * spread / n_in**0.5
            up = torch.empty(n_out, rank).uniform_(-1, 1) / (rank if narrow else 1) ** 0.5
            self.down = wrap(down.T.contiguous() if turned else down)
            self.up = wrap(up)
            self.bias = wrap(torch.zeros(n_out))

        def forward(self, x):
            down = self.down.detach() if detach else self.down
            hidden = x @ (down if turned else down.T)
            hidden = hidden.relu() if bend else hidden
            up = self.up.detach() if detach else self.up
            bias = self.bias.detach() if detach else self.bias
            return hidden @ up.T + (bias if use_bias else 0)

    return Layer


# 4: datasets of windows with one slip each


def window_data(gaps="both", offset=0, dtype=torch.float32, ends=True):
    class Windows(Dataset):
        def __init__(self, series, width):
            self.series, self.width = series, width
            reach = {"both": width + 1, "window": width, "none": 0}[gaps]
            self.starts = [i for i in range(len(series) - width) if not np.isnan(series[i : i + reach]).any()]

        def __len__(self):
            return len(self.starts)

        def __getitem__(self, index):
            start = self.starts[index if ends else min(index, len(self.starts) - 1)]
            end = start + self.width
            window = torch.tensor(self.series[start + offset : end + offset], dtype=dtype)
            return window, torch.tensor(self.series[end], dtype=dtype)

    return Windows


# 5: balanced batches with one slip each


def balanced(labels, per_class, generator, replace=False, shuffle=True, own=True, cut=True):
    orders = []
    for label in labels.unique():
        members = torch.nonzero(labels == label)[:, 0]
        order = torch.randperm(len(members), generator=generator if own else None)
        if replace:
            order = torch.randint(len(members), (len(members),), generator=generator)
        orders.append(members[order] if shuffle else members)
    n_batches = min(len(order) // per_class for order in orders) if cut else 7
    return [
        torch.cat([order[i * per_class : (i + 1) * per_class] for order in orders]) for i in range(n_batches)
    ]


# 7: training functions with one slip each


def train(
    model, batches, validation, n_epochs, learning_rate, *, zero=True, mode=True, once=False, record=False,
    by_batch=False, sums=False, keep="copy",
):  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses, best = [], None
    model.train()
    for _ in range(n_epochs):
        if not once:
            model.train()
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            if zero:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if mode:
            model.eval()
        with torch.set_grad_enabled(record):
            each = [F.cross_entropy(model(x), y).item() for x, y in validation]
        sizes = [len(y) for _, y in validation]
        total = sum(loss * size for loss, size in zip(each, sizes))
        losses.append(np.mean(each) if by_batch else total if sums else total / sum(sizes))
        if losses[-1] == min(losses):
            best = copy.deepcopy(model.state_dict()) if keep == "copy" else model.state_dict()
    if keep:
        model.load_state_dict(best)
    return losses


def with_slip(**slip):
    return lambda *args: train(*args, **slip)


# 8: checkpoints with one entry missing


def checkpoint(without=(), copied=True):
    def save(run):
        state = {
            "model": run.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "scheduler": run.scheduler.state_dict(),
            "order": run.generator.get_state(),
            "noise": run.rng.bit_generator.state,
            "random": torch.get_rng_state(),
            "epoch": run.epoch,
        }
        return copy.deepcopy(state) if copied else state

    def load(run, state):
        for name in ("model", "optimizer", "scheduler"):
            if name not in without:
                getattr(run, name).load_state_dict(state[name])
        if "order" not in without:
            run.generator.set_state(state["order"])
        if "noise" not in without:
            run.rng.bit_generator.state = state["noise"]
        if "random" not in without:
            torch.set_rng_state(state["random"])
        if "epoch" not in without:
            run.epoch = state["epoch"]

    return lambda: (save, load)


# 9: Huber functions with one slip each


def huber(half=0.5, meet=0.5, fixed=False, arrives=True, clamp=True, nones=1, sign=False, outer="delta"):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(x, delta):
            delta = 1.0 if fixed else delta
            return torch.where(x.abs() <= delta, half * x * x, delta * (x.abs() - meet * delta))

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])
            ctx.delta = inputs[1]

        @staticmethod
        def backward(ctx, grad_output):
            (x,) = ctx.saved_tensors
            slope = x.clamp(-ctx.delta, ctx.delta) if clamp else x
            if outer == "one":
                slope = torch.where(x.abs() > ctx.delta, x.sign(), x)
            slope = slope.abs() if sign else slope
            grad = grad_output * slope if arrives else slope
            return (grad, None) if nones else grad

    return lambda: Function


def raises(labels, per_class, generator):
    return labels @ torch.ones(7)


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "stride_puzzles": [
        (changed(PUZZLES, column=((3,), (4,), 0)), "column: it begins at the wrong address"),
        (changed(PUZZLES, column=((3,), (1,), 1)), "column: you have [1, 2, 3]"),
        (changed(PUZZLES, diagonal=((3,), (6,), 0)), "the last element would lie at address 12"),
        (changed(PUZZLES, repeated_row=((2, 4), (1, 0), 8)), "repeated row: you have [[8, 8, 8, 8]"),
        (changed(PUZZLES, repeated_row=((2, 4), (0, 1), 4)), "repeated row: it begins at the wrong address"),
        (changed(PUZZLES, repeated_row=((2, 4), (4, 1), 8)), "repeated row: a stride of 4"),
        (changed(PUZZLES, patches=((2, 3, 2, 2), (4, 1, 1, 4), 0)), "rows and columns are exchanged"),
        (changed(PUZZLES, patches=((2, 3, 2), (4, 1, 1), 0)), "patches: the size should be (2, 3, 2, 2)"),
    ],
    "predict_shapes": [
        (changed_entry(SHAPES, "a - c", (5, 3)), "lined up from the right"),
        (changed_entry(SHAPES, "d - c", (5, 1)), "broadcast to all pairs"),
        (changed_entry(SHAPES, "d - c", "error"), "without an error"),
        (changed_entry(SHAPES, "torch.stack([a, a], dim=1)", (2, 5, 3)), "a new axis, here at place 1"),
        (changed_entry(SHAPES, "torch.cat([a, d], dim=1)", "error"), "cat makes the old axis longer"),
        (changed_entry(SHAPES, "torch.einsum('ij,kij->k', a, e)", (5,)), "they are summed over"),
    ],
    "low_rank_linear": [
        (low_rank(wrap=lambda tensor: tensor), "a plain tensor is not one"),
        (low_rank(use_bias=False), "the bias is missing"),
        (low_rank(bend=True), "there is a nonlinearity inside"),
        (low_rank(turned=True), "`down` has shape (5, 2), and should have (2, 5)"),
        (low_rank(spread=3.0), "`down` starts outside"),
        (low_rank(narrow=False), "`up` starts outside"),
        (low_rank(spread=0.01), "evenly spread"),
        (low_rank(detach=True), "does not record its history"),
        (nn.Bilinear, "`down` is not among the parameters"),
    ],
    "window_dataset": [
        (window_data(gaps="none"), "windows with a gap are still counted"),
        (window_data(gaps="window"), "its target may be NaN"),
        (window_data(offset=1), "ends with its own target"),
        (window_data(dtype=torch.float64), "the types are torch.float64"),
        (window_data(ends=False), "should raise an IndexError"),
        (lambda series, width: [(series[:2], series[2])] * 4, "torch.utils.data.Dataset"),
    ],
    "balanced_batches": [
        (lambda *args: None, "the function should return the list of batches"),
        (lambda *args: [], "there are no batches, and the rarest class allows 3"),
        (lambda *args: balanced(*args, own=False), "the global generator was used"),
        (lambda *args: balanced(*args, replace=True), "an example occurs twice"),
        (lambda *args: balanced(*args, shuffle=False), "draw a new order each time"),
        (lambda *args: balanced(*args, cut=False), "should hold [1, 1, 1]"),
        (lambda *args: balanced(*args)[:-1], "allows 3 batches, and there are 2"),
        (raises, "in your line 'return labels @ torch.ones(7)'"),
    ],
    "five_faults": [
        (changed_entry(LOOPS, "loop_1", "zero"), "loop_1: not 'zero', zero_grad comes before every backward"),
        (changed_entry(LOOPS, "loop_2", "graph"), "which tensors did the optimizer get"),
        (changed_entry(LOOPS, "loop_3", "mode"), "what else belongs to an evaluation"),
        (changed_entry(LOOPS, "loop_4", "device"), "how many random orders"),
        (changed_entry(LOOPS, "loop_5", "speed"), "'speed' is not one of the words"),
    ],
    "fit": [
        (lambda *args: None, "the function should return the list of validation losses"),
        (with_slip(zero=False), "zero_grad before each backward"),
        (with_slip(mode=False), "the validation ran in train mode"),
        (with_slip(once=True), "call train() at the start of each epoch"),
        (with_slip(record=True), "use no_grad"),
        (with_slip(by_batch=True), "weigh by its size"),
        (with_slip(sums=True), "divide by their number"),
        (with_slip(keep=None), "the weights of the last epoch"),
        (with_slip(keep="reference"), "a state dict shares memory"),
    ],
    "checkpoint_functions": [
        (checkpoint(without=["model"]), "the weights are not those of the saved run"),
        (checkpoint(without=["optimizer"]), "has lost its averages"),
        (checkpoint(without=["scheduler"]), "the scheduler begins again"),
        (checkpoint(without=["order"]), "the order of the examples is another"),
        (checkpoint(without=["noise"]), "NumPy's generator is missing"),
        (checkpoint(without=["random"]), "dropout draws from the global generator"),
        (checkpoint(without=["epoch"]), "the epoch is 0 after loading"),
        (checkpoint(copied=False), "a state dict shares memory"),
    ],
    "huber_function": [
        (huber(half=1.0), "the half is missing near zero"),
        (huber(meet=0.0), "the half delta is missing"),
        (huber(fixed=True), "delta is fixed at one"),
        (huber(arrives=False), "the gradient that arrives is forgotten"),
        (huber(clamp=False), "not x"),
        (huber(outer="one"), "not one"),
        (huber(sign=True), "for negative x the slope is negative"),
        (huber(nones=0), "None for delta"),
        (lambda: F.huber_loss, "return the class itself"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even where a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    assert says in exercises.verdict_on(name, wrong)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)
