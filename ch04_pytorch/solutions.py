# %% [markdown]
# # 4 Solutions: views, modules, loops and checkpoints
#
# One answer for each exercise of this chapter, with its reason. Yours may look different and be as good,
# if `exercises.py` calls it done.
#
# **You need** chapter 4, and your own attempt first.

# %%
import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

# %% [markdown]
# ## 1 Four views of twelve numbers
#
# One step down the table is 4 addresses, one step to the right is 1. The diagonal goes down and right, 5
# at a time. The repeated row begins at address 8, and a stride of zero stays there. For the patches, the
# first two axes move the corner and the last two move inside the patch, and both moves have the strides
# of the table.


# %%
def stride_puzzles():
    """{name: (size, stride, offset)} of four views of torch.arange(12); size and stride are tuples."""
    return {
        "column": ((3,), (4,), 1),
        "diagonal": ((3,), (5,), 0),
        "repeated row": ((2, 4), (0, 1), 8),
        "patches": ((2, 3, 2, 2), (4, 1, 4, 1), 0),
    }


# %% [markdown]
# ## 2 Predict the shape
#
# Shapes are lined up from the right, and an axis fits another of the same size or of size one. That makes
# an error of (5, 3) with (5,), and a table of all pairs of (5, 1) with (5,). A reduction removes its axis
# unless `keepdim` is set. In the `einsum`, only k is on the right, and k is the axis of size 2.


# %%
def predict_shapes():
    """{expression: shape as a tuple, or "error"}."""
    return {
        "a - b": (5, 3),
        "a - c": "error",
        "d - c": (5, 5),
        "a - a.mean(dim=1, keepdim=True)": (5, 3),
        "e.sum(dim=1) * b": (2, 3),
        "torch.stack([a, a], dim=1)": (5, 2, 3),
        "torch.cat([a, d], dim=1)": (5, 4),
        "torch.einsum('ij,kij->k', a, e)": (2,),
    }


# %% [markdown]
# ## 3 A layer of low rank
#
# Each parameter is assigned as an `nn.Parameter`, so the module lists it. The two narrow products come
# one after the other: `x @ down.T` has only `rank` features, so neither the large matrix nor its cost
# ever appears.


# %%
class LowRankLinear(nn.Module):
    """x @ down.T @ up.T + bias."""

    def __init__(self, n_in, n_out, rank):
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, n_in).uniform_(-(n_in**-0.5), n_in**-0.5))
        self.up = nn.Parameter(torch.empty(n_out, rank).uniform_(-(rank**-0.5), rank**-0.5))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        narrow = x @ self.down.T  # (..., n_in) @ (n_in, rank) -> (..., rank)
        return narrow @ self.up.T + self.bias  # (..., rank) @ (rank, n_out) -> (..., n_out)


def low_rank_linear(n_in, n_out, rank):
    """A new nn.Module: x (..., n_in) -> x @ down.T @ up.T + bias (..., n_out), as described above."""
    return LowRankLinear(n_in, n_out, rank)


# %% [markdown]
# ## 4 A dataset of windows
#
# The starts of the whole windows are found once, and they are all that has to be kept beside the series.
# A window and its target together are `width + 1` values, so one check for NaN serves both. Indexing the
# list of starts raises the IndexError by itself.


# %%
class WindowDataset(Dataset):
    """(window, next value) pairs of a series, without those that touch a NaN."""

    def __init__(self, series, width):
        self.series = torch.tensor(series, dtype=torch.float32)  # a copy
        self.width = width
        last = len(series) - width
        self.starts = [i for i in range(last) if not np.isnan(series[i : i + width + 1]).any()]

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, index):
        start = self.starts[index]
        end = start + self.width
        return self.series[start:end], self.series[end]


def window_dataset(series, width):
    """A torch Dataset of (window (width,), next value ()) from a NumPy series (n,) that may hold NaN."""
    return WindowDataset(series, width)


# %% [markdown]
# ## 5 Balanced batches
#
# Each class gets a random order of its own, cut into pieces of `per_class`. The rarest class decides how
# many batches there are, and what is left over of the others is not used in this epoch. Because the
# orders are drawn anew from the generator for each epoch, an example that is left over in one epoch may
# be used in the next.


# %%
def balanced_batches(labels, per_class, generator):
    """A list of index tensors, one per batch, each with `per_class` indices of each class in labels (n,)."""
    orders = []
    for label in labels.unique():
        members = torch.nonzero(labels == label)[:, 0]  # (n_members, 1) -> (n_members,)
        orders.append(members[torch.randperm(len(members), generator=generator)])
    n_batches = min(len(order) // per_class for order in orders)
    batches = []
    for i in range(n_batches):
        shares = [order[i * per_class : (i + 1) * per_class] for order in orders]
        batches.append(torch.cat(shares))  # n_classes times (per_class,) -> (n_classes * per_class,)
    return batches


# %% [markdown]
# ## 6 Five loops, five silent faults
#
# 1. `train()` stands before the loop over epochs, and `eval()` inside it. From the second epoch on,
#    dropout and batch norm are in the wrong mode.
# 2. The new head was made after the optimizer had been given the parameters, so it is never trained.
# 3. `eval()` does not stop recording. Without `no_grad` each loss in the list keeps its graph.
# 4. Two different random orders: the labels no longer belong to their pictures.
# 5. A difference of (B, 1) and (B,) is a (B, B) table of all pairs. The best the model can do is to
#    predict the mean for everybody.


# %%
def five_faults():
    """{"loop_1": a key of FAULTS, ...} for the five loops."""
    return {
        "loop_1": "mode",
        "loop_2": "replaced",
        "loop_3": "graph",
        "loop_4": "pairs",
        "loop_5": "broadcast",
    }


# %% [markdown]
# ## 7 The whole cycle, before a witness
#
# `train()` and `eval()` stand at the beginning of their loops, so no order of calls can leave the wrong
# mode behind. The validation loss is a sum over examples, divided by their number. The best state is
# _copied_, because the tensors of a state dict are those of the model and change with the next step.


# %%
def fit(model, batches, validation, n_epochs, learning_rate):
    """Train `model` in place, leave it with its best weights; returns the validation loss of each epoch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses = []
    best = None
    for _ in range(n_epochs):
        model.train()
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        total = 0.0
        n_seen = 0
        with torch.no_grad():
            for x, y in validation:
                total += F.cross_entropy(model(x), y, reduction="sum").item()
                n_seen += len(y)
        losses.append(total / n_seen)
        if losses[-1] == min(losses):
            best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return losses


# %% [markdown]
# ## 8 A checkpoint that resumes exactly
#
# Whatever the next step reads belongs into the state: three state dicts, three random generators, and the
# count of epochs. The deep copy cuts the tensors off from the run. Generator states are put back last,
# because making the new run has drawn from the global generator.


# %%
def checkpoint_functions():
    """(save, load): save(run) -> a state dictionary, load(run, state) puts it into `run`."""

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
        return copy.deepcopy(state)

    def load(run, state):
        run.model.load_state_dict(state["model"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.scheduler.load_state_dict(state["scheduler"])
        run.generator.set_state(state["order"])
        run.rng.bit_generator.state = state["noise"]
        torch.set_rng_state(state["random"])
        run.epoch = state["epoch"]

    return save, load


# %% [markdown]
# ## 9 A loss with its own backward
#
# The derivative is $x$ between $-\delta$ and $\delta$, and $\pm\delta$ outside: that is $x$, clamped.
# `backward` multiplies it by the gradient that arrives, and returns `None` for `delta`, which is no
# tensor.


# %%
class Huber(torch.autograd.Function):
    """The Huber loss of each element."""

    @staticmethod
    def forward(x, delta):
        size = x.abs()
        return torch.where(size <= delta, 0.5 * x * x, delta * (size - 0.5 * delta))

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, delta = inputs
        ctx.save_for_backward(x)
        ctx.delta = delta

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * x.clamp(-ctx.delta, ctx.delta), None


def huber_function():
    """A torch.autograd.Function class: apply(x, delta) is the Huber loss of each element of x."""
    return Huber
