# %% [markdown]
# # 4 Exercises: views, modules, loops and checkpoints
#
# Nine tasks, from the strides of a tensor to a training cycle written from memory. Each function returns
# `...` as it stands, or a dictionary with `...` in it. Put your answer there, run the cell, then run the
# cell after it. It answers "done", "not done yet", or what is wrong, often by the name of the slip.
# Nothing stops, so take the tasks in any order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 4. Answers, each with its reason, are in `solutions.py`.

# %%
import io
import traceback
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

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
# ## 1 Four views of twelve numbers
#
# About fifteen minutes. `torch.as_strided(x, size, stride, offset)` makes any view of the memory of `x`.
# The memory here holds the numbers 0 to 11, as the rows 0 to 3, 4 to 7 and 8 to 11 of a table. Give size,
# stride and offset of each view, three entries for each name:
#
# - `"column"`: the second column, 1, 5, 9
# - `"diagonal"`: 0, 5, 10
# - `"repeated row"`: the last row twice, as a tensor of shape (2, 4)
# - `"patches"`: all patches of 2 by 2 neighbours, as a tensor of shape (2, 3, 2, 2): first and second
#   axis say where the patch begins


# %%
def stride_puzzles():
    """{name: (size, stride, offset)} of four views of torch.arange(12); size and stride are tuples."""
    return {
        "column": (..., ..., ...),
        "diagonal": (..., ..., ...),
        "repeated row": (..., ..., ...),
        "patches": (..., ..., ...),
    }


# %%
@exercise
def check_stride_puzzles(answer):
    table = torch.arange(12).reshape(3, 4)  # (12,) -> (3, 4)
    expected = {
        "column": table[:, 1],
        "diagonal": table[:, :3].diagonal(),
        "repeated row": table[2].expand(2, 4),
        "patches": table.unfold(0, 2, 1).unfold(1, 2, 1),  # (3, 4) -> (2, 3, 2, 2)
    }
    views = answer()
    assert set(views) == set(expected), f"the names should be {sorted(expected)}"
    for name, right in expected.items():
        size, stride, offset = views[name]
        assert len(size) == len(stride), f"{name}: size and stride need one entry for each axis"
        assert tuple(size) == tuple(right.shape), f"{name}: the size should be {tuple(right.shape)}"
        assert name != "repeated row" or stride[0] != 4, (
            "repeated row: a stride of 4 would go on to another row; how far must it go to stay?"
        )
        last = offset + sum((n - 1) * s for n, s in zip(size, stride))
        assert last < 12, f"{name}: the last element would lie at address {last}, and the memory ends at 11"
        view = torch.as_strided(table, size, stride, offset)
        assert view.flatten()[0] == right.flatten()[0], (
            f"{name}: it begins at the wrong address: look at the offset"
        )
        rest = f"{name}: you have {view.tolist()}, it should be {right.tolist()}"
        if name == "patches":
            turned = right.transpose(2, 3)
            assert not torch.equal(view, turned), "patches: inside each patch rows and columns are exchanged"
        assert torch.equal(view, right), rest


# %% [markdown]
# ## 2 Predict the shape
#
# About ten minutes. Let `a` have shape (5, 3), `b` (3,), `c` (5,), `d` (5, 1) and `e` (2, 5, 3). For each
# expression write the shape of the result as a tuple, or the word `"error"` if there is none. Do not run
# the expressions before you have an answer for all of them.


# %%
def predict_shapes():
    """{expression: shape as a tuple, or "error"}."""
    return {
        "a - b": ...,
        "a - c": ...,
        "d - c": ...,
        "a - a.mean(dim=1, keepdim=True)": ...,
        "e.sum(dim=1) * b": ...,
        "torch.stack([a, a], dim=1)": ...,
        "torch.cat([a, d], dim=1)": ...,
        "torch.einsum('ij,kij->k', a, e)": ...,
    }


# %%
@exercise
def check_predict_shapes(answer):
    right = {
        "a - b": (5, 3),
        "a - c": "error",
        "d - c": (5, 5),
        "a - a.mean(dim=1, keepdim=True)": (5, 3),
        "e.sum(dim=1) * b": (2, 3),
        "torch.stack([a, a], dim=1)": (5, 2, 3),
        "torch.cat([a, d], dim=1)": (5, 4),
        "torch.einsum('ij,kij->k', a, e)": (2,),
    }
    reasons = {
        "a - b": "(3,) is lined up with the last axis and repeated for each row",
        "a - c": "shapes are lined up from the right, and 3 does not fit 5",
        "d - c": "(5, 1) and (5,) broadcast to all pairs, without an error: the trap of a loss on a column",
        "a - a.mean(dim=1, keepdim=True)": "the mean has shape (5, 1), and its axis of size one is repeated",
        "e.sum(dim=1) * b": "the sum makes the axis of size 5 disappear",
        "torch.stack([a, a], dim=1)": "stack makes a new axis, here at place 1",
        "torch.cat([a, d], dim=1)": "cat makes the old axis longer: 3 + 1",
        "torch.einsum('ij,kij->k', a, e)": "i and j are missing on the right, so they are summed over",
    }
    shapes = answer()
    assert set(shapes) == set(right), "keep the eight expressions as they are"
    for expression, shape in right.items():
        given = shapes[expression]
        given = given if isinstance(given, str) else tuple(given)
        assert given == shape, f"{expression}: not {given}: {reasons[expression]}"


# %% [markdown]
# ## 3 A layer of low rank
#
# About twenty minutes. A linear layer from 1,000 to 1,000 has a million weights. If its matrix is a
# product of two narrow ones, $W = U D$ with $D$ of shape (rank, n_in) and $U$ of shape (n_out, rank), it
# has far fewer. Write such a layer as an `nn.Module` with the parameters `down`, `up` and `bias`,
# computing $x D^\top U^\top + b$. Start `down` with random numbers spread evenly over
# $\pm 1/\sqrt{n_\text{in}}$, `up` with such numbers over $\pm 1/\sqrt{\text{rank}}$, and the bias at
# zero. Write the class inside the function or above it; each call of the function returns one new layer.
# For a batch, do not build the large matrix.


# %%
def low_rank_linear(n_in, n_out, rank):
    """A new nn.Module: x (..., n_in) -> x @ down.T @ up.T + bias (..., n_out), as described above."""
    return ...


# %%
@exercise
def check_low_rank_linear(answer):
    layer = answer(5, 7, 2)
    assert isinstance(layer, nn.Module), "the layer should be an nn.Module"
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes, "no parameters are found: a plain tensor is not one, wrap it in nn.Parameter"
    for name, shape in {"down": (2, 5), "up": (7, 2), "bias": (7,)}.items():
        assert name in shapes, f"`{name}` is not among the parameters, which are {sorted(shapes)}"
        assert shapes[name] == shape, f"`{name}` has shape {shapes[name]}, and should have {shape}"
    assert len(shapes) == 3, f"there should be three parameters, and there are {sorted(shapes)}"
    layer = layer.double()
    down = layer.down.detach()
    up = layer.up.detach()
    offsets = torch.arange(7.0, dtype=torch.float64)
    with torch.no_grad():
        layer.bias.copy_(offsets)
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    right = x @ (up @ down).T + offsets  # (3, 4, 5) @ (5, 7) -> (3, 4, 7)
    slips = [
        ("the bias is missing", right - offsets),
        ("there is a nonlinearity inside; the layer is linear", (x @ down.T).relu() @ up.T + offsets),
    ]
    got = layer(x)
    assert got.requires_grad, "the result does not record its history: no detach, no .data in forward"
    compare(got, right, slips)
    large = answer(400, 300, 16)
    spreads = {"down": 1 / 20, "up": 1 / 4}
    for name, bound in spreads.items():
        values = getattr(large, name).detach()
        assert values.abs().max() <= bound + 1e-6, f"`{name}` starts outside of ±{bound}"
        assert values.std() > 0.5 * bound, f"`{name}` should start evenly spread over ±{bound}"
    assert (large.bias == 0).all(), "the bias should start at zero"
    assert not torch.equal(answer(5, 7, 2).down, answer(5, 7, 2).down), (
        "each call should make a new layer, with new random numbers"
    )


# %% [markdown]
# ## 4 A dataset of windows
#
# About twenty minutes. Lesson 4.6 cut all windows at once, and here the same should be a `Dataset`,
# which computes an example when it is asked for it. Example $i$ is the pair of the $i$-th window without
# a gap, a float32 tensor of shape (width,), and the value after it, a float32 tensor of shape (). A
# window has a gap if one of its values or the value after it is NaN. Python's loops end at an
# IndexError, so index `len(dataset)` must raise one (negative indices do not matter here).


# %%
def window_dataset(series, width):
    """A torch Dataset of (window (width,), next value ()) from a NumPy series (n,) that may hold NaN."""
    return ...


# %%
@exercise
def check_window_dataset(answer):
    series = np.array([1.0, 2.0, 4.0, 8.0, np.nan, 16.0, 32.0, 64.0, 128.0])
    given = series.copy()
    data = answer(series, 2)
    assert isinstance(data, Dataset), "the result should be a torch.utils.data.Dataset"
    assert len(data) != 7, "windows with a gap are still counted: leave out those that touch the NaN"
    assert len(data) != 5, "a window is missing a check: its target may be NaN, too"
    assert len(data) == 4, f"there are 4 windows of 2 without a gap, and len says {len(data)}"
    for i, (window, target) in enumerate([([1, 2], 4), ([2, 4], 8), ([16, 32], 64), ([32, 64], 128)]):
        got = data[i]
        assert isinstance(got, tuple) and len(got) == 2, "an example should be a pair"
        assert isinstance(got[0], torch.Tensor) and isinstance(got[1], torch.Tensor), "both should be tensors"
        assert got[0].dtype == got[1].dtype == torch.float32, (
            f"the types are {got[0].dtype} and {got[1].dtype}"
        )
        assert got[1].shape == (), f"the target has shape {tuple(got[1].shape)}, and should have ()"
        compare(got[0], window, [("the window ends with its own target", [*window[1:], target])])
        compare(
            got[1], target, [("the target should be the value after the window, not its last", window[-1])]
        )
    try:
        example = data[len(data)]
    except IndexError:
        example = None
    assert example is None, "index len(data) should raise an IndexError, or a loop never ends"
    batches = list(DataLoader(data, batch_size=3))
    assert tuple(batches[0][0].shape) == (3, 2) and tuple(batches[1][1].shape) == (1,), (
        "a loader cannot stack it"
    )
    assert np.array_equal(series, given, equal_nan=True), "the series that was given has been changed"
    assert len(answer(np.array([1.0, np.nan, 2.0]), 1)) == 0, (
        "a series without a whole window gives 0 examples"
    )


# %% [markdown]
# ## 5 Balanced batches
#
# About twenty minutes. If one class is rare, a random batch may not contain it at all. Write the order
# of one epoch so that every batch holds exactly `per_class` examples of each class. No example occurs
# twice in an epoch, and the epoch ends when some class cannot fill its share. Within a class the order
# is random, drawn from the given generator and from nothing else. The order inside a batch does not
# matter.


# %%
def balanced_batches(labels, per_class, generator):
    """A list of index tensors, one per batch, each with `per_class` indices of each class in labels (n,)."""
    return ...


# %%
@exercise
def check_balanced_batches(answer):
    labels = torch.tensor([2, 0, 1, 0, 0, 2, 1, 2, 0, 2, 1, 0, 2, 0, 0])  # seven of 0, three of 1, five of 2
    before = torch.get_rng_state()
    batches = answer(labels, 1, torch.Generator().manual_seed(0))
    assert batches is not None, "the function should return the list of batches"
    batches = list(batches)
    assert len(batches) > 0, "there are no batches, and the rarest class allows 3"
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used: pass `generator` on"
    everything = torch.cat([torch.as_tensor(batch) for batch in batches])
    assert len(set(everything.tolist())) == len(everything), (
        "an example occurs twice: draw without replacement"
    )
    for batch in batches:
        counts = torch.bincount(labels[torch.as_tensor(batch)], minlength=3).tolist()
        assert counts == [1, 1, 1], f"a batch holds {counts} of the three classes, and should hold [1, 1, 1]"
    assert len(batches) == 3, f"the rarest class allows 3 batches, and there are {len(batches)}"
    generator = torch.Generator().manual_seed(0)
    epochs = [sorted(torch.cat(list(answer(labels, 1, generator))).tolist()) for _ in range(8)]
    assert any(epoch != epochs[0] for epoch in epochs), (
        "every epoch shows the same examples of the common classes: draw a new order each time"
    )
    pairs = list(answer(labels, 2, torch.Generator().manual_seed(1)))
    assert len(pairs) == 1 and len(pairs[0]) == 6, "with two of each class there is one batch, of six"
    assert len(list(answer(labels, 4, torch.Generator().manual_seed(1)))) == 0, (
        "with four of each there is none"
    )


# %% [markdown]
# ## 6 Five loops, five silent faults
#
# About fifteen minutes. Each of these functions runs without an error, and each has one fault. Name it
# with one of the words below the functions, of which two are not needed.


# %%
def loop_1(model, batches, validation):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for _ in range(10):
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            print(sum((model(x).argmax(dim=1) == y).sum() for x, y in validation))


def loop_2(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.head = nn.Linear(model.head.in_features, 4)
    for _ in range(10):
        model.train()
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def loop_3(model, validation):
    model.eval()
    losses = []
    n_examples = 0
    for x, y in validation:
        losses.append(F.cross_entropy(model(x), y, reduction="sum"))
        n_examples += len(y)
    return torch.stack(losses).sum().item() / n_examples


def loop_4(model, images, labels, generator):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        model.train()
        images = images[torch.randperm(len(images), generator=generator)]
        labels = labels[torch.randperm(len(labels), generator=generator)]
        for x, y in zip(images.split(50), labels.split(50)):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def loop_5(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        model.train()
        for x, y in batches:
            loss = F.mse_loss(model(x), y)  # model(x) has shape (B, 1), y has shape (B,)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


FAULTS = {
    "mode": "after the first epoch the model is no longer in the mode for training",
    "replaced": "the optimizer does not know the parameters that should be trained",
    "graph": "a graph is recorded and kept that nobody needs",
    "pairs": "inputs and targets no longer belong together",
    "broadcast": "shapes are broadcast, and the loss compares all pairs",
    "zero": "gradients of earlier steps are added",
    "device": "a tensor was to be moved to a device and was not",
}


# %%
def five_faults():
    """{"loop_1": a key of FAULTS, ...} for the five loops."""
    return {"loop_1": ..., "loop_2": ..., "loop_3": ..., "loop_4": ..., "loop_5": ...}


# %%
@exercise
def check_five_faults(answer):
    right = {
        "loop_1": "mode",
        "loop_2": "replaced",
        "loop_3": "graph",
        "loop_4": "pairs",
        "loop_5": "broadcast",
    }
    hints = {
        "loop_1": "follow train() and eval() through the second epoch",
        "loop_2": "which tensors did the optimizer get, and which does the model have afterwards?",
        "loop_3": "eval() changes layers; what else belongs to an evaluation?",
        "loop_4": "how many random orders are drawn in each epoch?",
        "loop_5": "what is the shape of (B, 1) minus (B,)?",
    }
    reasons = {
        "mode": "train() comes in each epoch, or nothing is trained here",
        "replaced": "no module is replaced after its optimizer was made",
        "graph": "the graph of each loss is used by backward and freed",
        "pairs": "inputs and targets are still taken together",
        "broadcast": "the shapes of scores and labels are those that cross_entropy expects",
        "zero": "zero_grad comes before every backward, or there is no backward",
        "device": "nothing is moved in this loop",
    }
    found = answer()
    assert set(found) == set(right), "keep the five names as they are"
    for loop, fault in right.items():
        assert found[loop] in FAULTS, f"{loop}: {found[loop]!r} is not one of the words {sorted(FAULTS)}"
        assert found[loop] == fault, f"{loop}: not {found[loop]!r}, {reasons[found[loop]]}; {hints[loop]}"


# %% [markdown]
# ## 7 The whole cycle, before a witness
#
# About forty minutes. Write the training function of this chapter from memory: for each epoch one pass
# over `batches` with SGD at `learning_rate`, then the mean validation loss _per example_. The loss is
# the cross-entropy. At the end the model must hold the weights of the epoch with the lowest validation
# loss, and the function returns the list of validation losses. The model you are given writes down in
# which mode it is called, and whether a graph is recorded.


# %%
def fit(model, batches, validation, n_epochs, learning_rate):
    """Train `model` in place, leave it with its best weights; returns the validation loss of each epoch."""
    return ...


# %%
class Witness(nn.Module):
    """A linear classifier that notes mode and recording at each call."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.calls = []

    def forward(self, x):
        self.calls.append((self.training, torch.is_grad_enabled(), len(x)))
        return self.layer(x)


@exercise
def check_fit(answer):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(22, 4, generator=generator)
    y = (x[:, :3] + 0.8 * torch.randn(22, 3, generator=generator)).argmax(dim=1)  # (22, 3) -> (22,)
    batches = list(zip(x[:12].split(4), y[:12].split(4)))
    validation = list(zip(x[12:].split(7), y[12:].split(7)))  # seven and three examples

    def fresh():
        torch.manual_seed(1)
        return Witness()

    learning_rate = 3.0  # so large that the last epoch is not the best
    witness = fresh()
    losses = answer(witness, batches, validation, 6, learning_rate)
    assert losses is not None, "the function should return the list of validation losses"
    losses = list(losses)
    n_train = sum(training for training, _, n in witness.calls if n == 4)
    calls_valid = [call for call in witness.calls if call[2] != 4]
    assert len(witness.calls) > 0, "the model was never called"
    assert n_train == 18 or not any(not t for t, _, n in witness.calls[3:6] if n == 4), (
        "from the second epoch on the model is trained in eval mode: call train() at the start of each epoch"
    )
    assert n_train == 18, (
        f"three batches in six epochs are 18 training calls in train mode, and there were {n_train}"
    )
    assert len(calls_valid) == 12, (
        f"two validation batches in six epochs are 12 calls, and there were {len(calls_valid)}"
    )
    assert not any(training for training, _, _ in calls_valid), (
        "the validation ran in train mode: call eval()"
    )
    assert not any(recorded for _, recorded, _ in calls_valid), "the validation was recorded: use no_grad"

    def reference(zero=True):
        weight = fresh().layer.weight.detach().clone()
        bias = fresh().layer.bias.detach().clone()
        total_w = torch.zeros_like(weight)
        total_b = torch.zeros_like(bias)
        per_example = []
        per_batch = []
        states = []
        for _ in range(6):
            for part, labels in batches:
                error = (part @ weight.T + bias).softmax(dim=1) - F.one_hot(labels, 3)  # (4, 3)
                grad_w = error.T @ part / len(part)  # (3, 4) @ (4, 4) -> (3, 4)
                grad_b = error.mean(dim=0)
                total_w = grad_w if zero else total_w + grad_w
                total_b = grad_b if zero else total_b + grad_b
                weight = weight - learning_rate * total_w
                bias = bias - learning_rate * total_b
            each = [F.cross_entropy(part @ weight.T + bias, labels).item() for part, labels in validation]
            per_example.append((7 * each[0] + 3 * each[1]) / 10)
            per_batch.append((each[0] + each[1]) / 2)
            states.append(weight)
        return per_example, per_batch, states

    right, by_batch, states = reference()
    unreset, _, _ = reference(zero=False)
    assert len(losses) == 6, f"six epochs give six losses, and there are {len(losses)}"

    def near(other):
        return np.allclose(np.array(losses, dtype=float), other, rtol=1e-3, atol=1e-4)

    assert not near(by_batch), "that is the mean over batches: the last one is smaller, so weigh by its size"
    assert not near(10 * np.array(right)), "those are sums over the examples: divide by their number"
    assert not near(unreset), "the gradients of earlier steps are added: zero_grad before each backward"
    assert near(right), (
        f"the losses are {np.round(losses, 3).tolist()}, and should be {np.round(right, 3).tolist()}"
    )
    best = int(np.argmin(right))
    weight = witness.layer.weight.detach()
    assert not torch.allclose(weight, states[-1], atol=1e-3), (
        "the model has the weights of the last epoch: keep a copy of the best (a state dict shares memory)"
    )
    assert torch.allclose(weight, states[best], atol=1e-3), (
        f"the model should hold the weights of epoch {best + 1}"
    )


# %% [markdown]
# ## 8 A checkpoint that resumes exactly
#
# About thirty minutes. A run has these attributes: `model` (with dropout), `optimizer` (Adam, which
# keeps averages), `scheduler`, `generator` (a torch generator for the order), `rng` (a NumPy generator
# for noise on the inputs) and `epoch`, the number of epochs done; dropout draws from torch's global
# generator. Write two functions and return both: `save(run)` gives a dictionary that can go through
# `torch.save` and `torch.load(..., weights_only=True)`, and that does _not_ change while the run goes
# on; `load(run, state)` puts it into another run. (`rng.bit_generator.state` is a dictionary of numbers
# and words that can be read and set.)


# %%
def checkpoint_functions():
    """(save, load): save(run) -> a state dictionary, load(run, state) puts it into `run`."""
    return ..., ...


# %%
def new_run(seed):
    """A small run, as exercise 8 describes it."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    return SimpleNamespace(
        model=model, optimizer=optimizer, scheduler=scheduler, generator=generator, rng=rng, epoch=0
    )


def train_until(run, epoch):
    """Train a run of exercise 8 up to the given epoch."""
    x = torch.linspace(-2, 2, 24).reshape(6, 4)  # (24,) -> (6, 4)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    while run.epoch < epoch:
        run.model.train()
        for i in torch.randperm(6, generator=run.generator).split(2):
            noise = torch.from_numpy(run.rng.normal(size=(2, 4))).float()
            loss = F.cross_entropy(run.model(x[i] + 0.1 * noise), y[i])
            run.optimizer.zero_grad()
            loss.backward()
            run.optimizer.step()
        run.scheduler.step()
        run.epoch += 1
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


@exercise
def check_checkpoint_functions(answer):
    save, load = answer()
    with torch.random.fork_rng(devices=[]):
        right = train_until(new_run(0), 6)
        run = new_run(0)
        halfway = train_until(run, 3).clone()
        global_state = torch.get_rng_state()
        state = save(run)
        file = io.BytesIO()
        torch.save(state, file)
        train_until(run, 6)  # the first run goes on, and the state must not go with it
        file.seek(0)
        for how, loaded in {"file": torch.load(file, weights_only=True), "memory": state}.items():
            resumed = new_run(99)
            load(resumed, loaded)
            found = torch.cat([parameter.detach().flatten() for parameter in resumed.model.parameters()])
            if how == "memory":
                assert torch.equal(found, halfway), (
                    "the state in memory changed as the run went on: a state dict shares memory, so copy it"
                )
            assert torch.equal(found, halfway), "the weights are not those of the saved run"
            assert resumed.epoch == 3, f"the epoch is {resumed.epoch} after loading, and should be 3"
            assert resumed.scheduler.last_epoch == 3, "the scheduler begins again: save its state, too"
            assert len(resumed.optimizer.state) == 4, "the optimizer has lost its averages: save its state"
            same_order = resumed.generator.get_state()
            fresh_order = new_run(99).generator.get_state()
            load(resumed, loaded)  # new_run has drawn from the global generator
            assert not torch.equal(same_order, fresh_order), (
                "the order of the examples is another: the generator is missing"
            )
            fresh_noise = np.random.default_rng(99).bit_generator.state
            assert resumed.rng.bit_generator.state != fresh_noise, (
                "NumPy's generator is missing: the noise is another"
            )
            assert torch.equal(torch.get_rng_state(), global_state), (
                "dropout draws from the global generator: it is missing"
            )
            assert torch.equal(train_until(resumed, 6), right), (
                f"resumed from {how}, the run ends with other weights"
            )


# %% [markdown]
# ## 9 A loss with its own backward
#
# About twenty-five minutes. The Huber loss of an error $x$ is quadratic near zero and linear far out, so
# that outliers pull less:
#
# $$\begin{aligned}
#   |x| \le \delta: \quad & h(x) = \tfrac12 x^2 \\
#   |x| > \delta: \quad & h(x) = \delta \, (|x| - \tfrac12 \delta)
# \end{aligned}$$
#
# Write it, element by element, as a `torch.autograd.Function` with `forward(x, delta)`, `setup_context`
# and `backward`; `delta` is a Python number. Work out $h'(x)$ on paper first, then return the class,
# which will be judged by `gradcheck`, too.


# %%
def huber_function():
    """A torch.autograd.Function class: apply(x, delta) is the Huber loss of each element of x."""
    return ...


# %%
@exercise
def check_huber_function(answer):
    function = answer()
    assert isinstance(function, type) and issubclass(function, torch.autograd.Function), (
        "return the class itself, a subclass of torch.autograd.Function"
    )
    x = torch.tensor([-3.0, -1.5, -0.4, 0.0, 0.7, 1.2, 5.0], dtype=torch.float64, requires_grad=True)
    points = x.detach()
    zeros = torch.zeros(7, dtype=torch.float64)
    right = F.huber_loss(points, zeros, reduction="none", delta=1.1)
    beyond = points.abs() > 1.1
    slips = [
        ("the half is missing near zero", torch.where(beyond, right, 2 * right)),
        (
            "the two pieces do not meet at delta: the half delta is missing",
            torch.where(beyond, 1.1 * points.abs(), right),
        ),
        ("delta is fixed at one", F.huber_loss(points, zeros, reduction="none", delta=1.0)),
    ]
    compare(function.apply(x, 1.1), right, slips)
    weights = torch.arange(1.0, 8.0, dtype=torch.float64)
    try:
        (grad,) = torch.autograd.grad((function.apply(x, 1.1) * weights).sum(), x)
    except RuntimeError as error:
        said = str(error)
        assert "incorrect number of gradients" not in said, (
            "backward must return one value per argument of forward: None for delta, which is no tensor"
        )
        raise
    slope = points.clamp(-1.1, 1.1)
    slips = [
        ("the gradient that arrives is forgotten: multiply by it", slope),
        ("far out the slope is plus or minus delta, not x", points * weights),
        (
            "far out the slope is plus or minus delta, not one",
            torch.where(beyond, points.sign(), points) * weights,
        ),
        ("for negative x the slope is negative", slope.abs() * weights),
    ]
    compare(grad, slope * weights, slips)
    assert torch.autograd.gradcheck(lambda t: function.apply(t, 1.1), x, raise_exception=False), (
        "gradcheck does not accept it: use only what was saved in ctx and the gradient that arrives"
    )


# %% [markdown]
# ## Where you are

# %%
print(summary())
