# %% [markdown]
# # 7 Solutions: optimizers, schedules, faulty runs and honest comparisons
#
# One answer to each exercise of `exercises.py`, with its reason in a sentence or two.

# %%
import copy
import math

import numpy as np
import torch
from torch.nn import functional as F

# %% [markdown]
# ## 1 A gauge: units that hardly fire
#
# A unit is a column, so the mean over the rows (axis 0) is the share of examples for which it fires. The
# second mean is over the units.


# %%
def hardly_firing(hidden, at_most=0.01):
    """Share of units (columns of hidden (B, n), from a ReLU) that fire for at most this share of examples."""
    shares = (hidden > 0).double().mean(dim=0)  # (n,)
    return (shares <= at_most).double().mean().item()


# %% [markdown]
# ## 2 Clip the gradients
#
# One length over all of them, one factor for all of them, and never a factor above one. The tiny number
# keeps a length of zero from dividing.


# %%
def clip_gradients(gradients, max_norm):
    """([new gradients, together of length at most max_norm], their length before); gradients: tensors."""
    length = sum((g**2).sum() for g in gradients).sqrt()
    factor = (max_norm / (length + 1e-12)).clamp(max=1.0)
    return [g * factor for g in gradients], length.item()


# %% [markdown]
# ## 3 Adam from its paper
#
# The two means are carried along from row to row. The correction divides by $1 - \beta^t$, with $t$
# counted from 1; counted from 0 it would divide by zero.


# %%
def adam_changes(gradients, alpha=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
    """The change of the weights in each step (T, n) that Adam makes of gradients (T, n), step by step."""
    mean = np.zeros(gradients.shape[1])
    square = np.zeros(gradients.shape[1])
    changes = []
    for t, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        corrected_mean = mean / (1 - beta1**t)
        corrected_square = square / (1 - beta2**t)
        changes.append(-alpha * corrected_mean / (np.sqrt(corrected_square) + eps))
    return np.array(changes)


# %% [markdown]
# ## 4 A schedule: warm-up, then a cosine with restarts
#
# The steps of the cosine are counted from the end of the warm-up. The loop takes off whole periods, each
# twice as long as the one before, until the step lies within one.


# %%
def warm_cosine_restarts(step, lr, n_warmup, period):
    """The learning rate of a step (counted from 0): linear warm-up, then cosines of doubling periods."""
    if step < n_warmup:
        return lr * (step + 1) / n_warmup
    step -= n_warmup
    while step >= period:
        step -= period
        period *= 2
    return lr * (1 + math.cos(math.pi * step / period)) / 2


# %% [markdown]
# ## 5 Four patients
#
# - **P**, _stale gradients_: falls faster than any other, then climbs. Its second step does not follow the
#   second batch's own gradient: the first one's is still in it.
# - **Q**, _healthy_: the curve alone looks like a rate that is too low. But the first step is as long as
#   it should be, one batch is learned by heart, and four epochs of twenty steps are just not many.
# - **R**, _labels of others_: one batch can be learned by heart, so model, loss and steps are sound. An
#   image and the one most like it have different labels: what is wrong is the data.
# - **S**, _two softmaxes_: scores that are certain and right still cost $\ln(1 + 9/e) \approx 1.46$.


# %%
def diagnosis():
    """{"P": a name from FAULTS, "Q": ..., "R": ..., "S": ...}."""
    return {"P": "stale gradients", "Q": "healthy", "R": "labels of others", "S": "two softmaxes"}


# %% [markdown]
# ## 6 Five faults in one function
#
# One permutation for images and labels; `zero_grad`; `train` and `eval` at the start of the two halves; a
# mean over examples, not over batches of unequal size; and a _copy_ of the best weights, since
# `state_dict` hands out the very tensors that the next step changes.


# %%
def train(model, x_train, y_train, x_validation, y_validation, n_epochs=10, rate=0.1, seed=0):
    """Train `model` by mini-batch SGD on shuffled batches of 32; return (best weights, validation losses).

    A validation loss is the mean over all validation examples after an epoch, in evaluation mode. The best
    weights are a state dict as it was after the epoch with the lowest validation loss.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    best, history = None, []
    for _ in range(n_epochs):
        model.train()
        order = torch.randperm(len(x_train), generator=generator)
        x, y = x_train[order], y_train[order]
        for inputs, labels in zip(x.split(32), y.split(32)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
        model.eval()
        total = 0.0
        with torch.no_grad():
            for inputs, labels in zip(x_validation.split(32), y_validation.split(32)):
                total += F.cross_entropy(model(inputs), labels, reduction="sum").item()
        history.append(total / len(x_validation))
        if history[-1] == min(history):
            best = copy.deepcopy(model.state_dict())
    return best, history


# %% [markdown]
# ## 7 How many seeds?
#
# The half width is about $2 s / \sqrt n$. Set it equal to the one that is wanted and solve for $n$. The
# spread of a small sample divides by $n - 1$ (2.8).


# %%
def seeds_needed(pilot_gains, half_width):
    """The number of seeds (an int) for an interval of ± half_width, by the spread of a pilot's gains."""
    spread = np.std(pilot_gains, ddof=1)
    return math.ceil((2 * spread / half_width) ** 2)


# %% [markdown]
# ## 8 Choose the batch size from a cost table
#
# Examples are batch size times steps, and they are fewest with the smallest batch: 16,000. Seconds are
# steps times the time of a step: 64 takes 0.76 s, 32 takes 0.79 s. On eight machines a batch of 256 takes
# the time of 32 on one, 1.3 ms, plus 10 ms, and needs 270 steps: 3.05 s. A batch of 512 needs 262 steps
# of 12 ms, 3.14 s, and 128 needs 300 steps of 11.1 ms, 3.33 s. (So eight machines are slower than one
# here: a small network is not worth sharing.) Doubling 64 saves 21 % of the steps, doubling 32 still 38
# %.


# %%
def batch_sizes():
    """For each question a batch size from COST_TABLE."""
    return {
        "fewest examples": 4,
        "fastest here": 64,
        "fastest on eight": 256,
        "where doubling stops paying": 64,
    }


# %% [markdown]
# ## 9 Design an ablation
#
# The recipe runs once for each seed and serves all comparisons. Subtracting seed by seed removes what the
# seeds share. With $k$ removals each interval has the level $1 - 0.05 / k$. An interval that holds zero
# does not show that an ingredient does nothing.


# %%
def interval(gains, level):
    """The interval (low, high) of this level for the mean of gains, by the normal distribution."""
    from statistics import NormalDist

    half = NormalDist().inv_cdf((1 + level) / 2) * np.std(gains, ddof=1) / math.sqrt(len(gains))
    return float(np.mean(gains) - half), float(np.mean(gains) + half)


def ablate(run, recipe, removals, seeds):
    """{name: (low, high, word)} for each of removals {name: changes of the recipe}.

    (low, high): interval of what the recipe gains over the recipe with these changes, paired by seed; word:
    "helps" if all of it is above zero, "hurts" if all of it is below, else "not shown".
    """
    level = 1 - 0.05 / len(removals)
    full = [run(recipe, seed) for seed in seeds]
    report = {}
    for name, change in removals.items():
        without = [run({**recipe, **change}, seed) for seed in seeds]
        gains = [a - b for a, b in zip(full, without)]
        low, high = interval(gains, level)
        if low > 0:
            word = "helps"
        elif high < 0:
            word = "hurts"
        else:
            word = "not shown"
        report[name] = (low, high, word)
    return report
