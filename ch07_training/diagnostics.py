# %% [markdown]
# # 7.4 Diagnostics: why does it not learn?
#
# A broken program stops with an error. A broken training loop runs to the end, prints a loss that falls a
# little, and leaves you with a bad model and no message. Like a doctor, we need checks that are cheap,
# that each rule something out, and an order to do them in.
#
# **You will build** a checklist as running code and use it on six broken loops, each shown by its
# symptoms first. **You need** the training loop (4.4), cross-entropy (5.5) and the learning rate (7.1).

# %%
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two losses can be predicted without training. A network that knows nothing gives each of ten classes the
# probability $\frac1{10}$, so its loss is $-\ln \frac1{10} = \ln 10$. And if somebody applies softmax to
# the scores before a loss that does so again, the best that the second one can see is a score of $1$ for
# the right class and $0$ for nine others:
#
# $$-\ln \frac{e^1}{e^1 + 9 e^0} = \ln\left(1 + \frac9e\right).$$
#
# Such a loss can never come near zero.

# %%
y = torch.tensor([3])
nothing_known = F.cross_entropy(torch.zeros(1, 10), y).item()
perfect = torch.full((1, 10), -1e4).index_fill(1, y, 1e4)  # (1, 10): certain, and right
softmax_floor = F.cross_entropy(perfect.softmax(dim=1), y).item()
print(f"knowing nothing {nothing_known:.4f}, floor under two softmaxes {softmax_floor:.4f}")
assert abs(nothing_known - math.log(10)) < 1e-6
assert abs(softmax_floor - math.log(1 + 9 / math.e)) < 1e-6
assert F.cross_entropy(perfect, y) < 1e-6

# %% [markdown]
# ## A loop made of parts
#
# To break a loop in one place only, we write it so that its places have names: the data, the loss, how
# batches are chosen, the rate, and whether gradients are cleared. Losses come one an example, since a
# check will want to see them apart.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

n_train, batch_size = 1000, 32
order = rng.permutation(len(images))
x_all, y_all = torch.from_numpy(images[order]).float(), torch.from_numpy(labels[order])
x_train, y_train = x_all[:n_train], y_all[:n_train]
x_validation, y_validation = x_all[n_train:], y_all[n_train:]


def cross_entropies(logits, y):
    """One loss an example: logits (B, 10), y (B,) -> (B,)."""
    return F.cross_entropy(logits, y, reduction="none")


def shuffled_batches(n, generator):
    """Row numbers of one epoch, in random batches."""
    return torch.randperm(n, generator=generator).split(batch_size)


@dataclass
class Loop:
    """Everything that a training loop is made of."""

    x: torch.Tensor = x_train
    y: torch.Tensor = y_train
    losses: Callable = cross_entropies
    batches: Callable = shuffled_batches
    learning_rate: float = 0.05
    clear_gradients: bool = True


# %% [markdown]
# `step` is one step on one batch, `train` some epochs of them. Both see nothing but the parts.


# %%
def new_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def step(loop, model, rows):
    """One step of gradient descent on these rows of the loop's data; returns the loss before it."""
    if loop.clear_gradients:
        model.zero_grad()
    loss = loop.losses(model(loop.x[rows]), loop.y[rows]).mean()
    loss.backward()
    with torch.no_grad():
        for w in model.parameters():
            w -= loop.learning_rate * w.grad
    return loss.item()


def validation_loss(model, x):
    """Mean cross-entropy on the validation labels with inputs x."""
    with torch.no_grad():
        return F.cross_entropy(model(x), y_validation).item()


def train(loop, n_epochs=25, seed=0):
    """A trained model, its batch losses, and its validation losses before and after every epoch."""
    model, generator = new_model(seed), torch.Generator().manual_seed(seed)
    losses, validation = [], [validation_loss(model, x_validation)]
    for _ in range(n_epochs):
        losses += [step(loop, model, rows) for rows in loop.batches(len(loop.x), generator)]
        validation.append(validation_loss(model, x_validation))
    return model, losses, validation


def accuracy(model):
    """Share of validation rows with the right answer."""
    return (model(x_validation).argmax(dim=1) == y_validation).double().mean().item()


# %% [markdown]
# ## Six patients
#
# The next cell breaks one part each. If you want to guess, pass over it, and come back when the checks
# have spoken.

# %%
healthy = Loop()
by_label = torch.argsort(y_train, stable=True)


def losses_on_axis_0(logits, y):
    return -logits.log_softmax(dim=0)[torch.arange(len(y)), y]  # (B, 10) -> (B,)


patients = {
    "A": replace(healthy, clear_gradients=False),
    "B": replace(healthy, losses=lambda logits, y: cross_entropies(logits.softmax(dim=1), y)),
    "C": replace(
        healthy,
        x=x_train[by_label],
        y=y_train[by_label],
        batches=lambda n, _: torch.arange(n).split(batch_size),
    ),
    "D": replace(healthy, losses=losses_on_axis_0),
    "E": replace(healthy, learning_rate=100 * healthy.learning_rate),
    "F": replace(healthy, y=y_train.roll(1)),
}
loops = {"healthy": healthy, **patients}

# %% [markdown]
# ## The symptoms
#
# What one sees first are loss curves: the loss of each batch, and the loss on validation rows once an
# epoch. Each patient beside the healthy loop, in grey.

# %%
runs = {name: train(loop) for name, loop in loops.items()}
print(f"{'loop':20s}{'first loss':>12s}{'last losses':>12s}{'validation':>12s}{'accuracy':>12s}")
for name, (model, losses, validation) in runs.items():
    row = f"{losses[0]:12.2f}{np.mean(losses[-20:]):12.2f}{validation[-1]:12.2f}{accuracy(model):12.1%}"
    print(f"{name:20s}{row}")
assert runs["healthy"][2][-1] < 0.5 and accuracy(runs["healthy"][0]) > 0.88
assert np.mean(runs["B"][1][-20:]) > softmax_floor

fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True)
per_epoch = len(runs["healthy"][1]) / (len(runs["healthy"][2]) - 1)
for ax, name in zip(axs.flat, patients):
    for label, color, width in (("healthy", "0.8", 2), (name, "C0", 0.8)):
        ax.plot(np.arange(len(runs[label][1])) / per_epoch, runs[label][1], color=color, linewidth=width)
    ax.plot(runs["healthy"][2], "o", color="0.6", markersize=4, fillstyle="none")
    ax.plot(runs[name][2], "o-", color="C1", markersize=4, label="validation")
    ax.axhline(math.log(10), color="0.7", linewidth=0.8, linestyle=":", zorder=0)
    ax.set(title=f"patient {name}", ylim=(0, 6))
axs[0, 0].legend(loc="upper right")
for ax in axs[1]:
    ax.set_xlabel("epoch")
for ax in axs[:, 0]:
    ax.set_ylabel("loss (nats)")
fig.suptitle("Six curves that are wrong; the dotted line is knowing nothing")
plt.show()

# %% [markdown]
# Some faults show: a sawtooth, a curve far above the dotted line. But A, E and F could all be "a hard
# problem", B could be "needs more epochs", and D looks as if it were learning well. Curves tell that
# something is wrong. Checks tell what.
#
# ## Checks before any training
#
# The first loss must be $\ln 10$. A batch must be a fair sample: its labels mixed. And labels must belong
# to their images: in any sensible data an example and its nearest neighbour mostly agree. Each check
# returns `True` for alarm.


# %%
def first_loss(loop):
    """The loss of an untrained model is not that of knowing nothing."""
    with torch.no_grad():
        return abs(loop.losses(new_model()(loop.x), loop.y).mean().item() - math.log(10)) > 0.3


def class_mix(loop):
    """Half of the batches hold fewer than half of the classes."""
    batches = loop.batches(len(loop.x), torch.Generator().manual_seed(0))
    return np.median([len(loop.y[rows].unique()) for rows in batches]) < 5


def neighbours(loop):
    """An example and the one most like it carry different labels more often than not."""
    distances = torch.cdist(loop.x, loop.x).fill_diagonal_(math.inf)  # (n, 64), (n, 64) -> (n, n)
    return (loop.y[distances.argmin(dim=1)] == loop.y).double().mean().item() < 0.5


# %% [markdown]
# ## Checks of a single step
#
# An example's loss may depend on its own input only: the gradient with respect to all others must be
# zero. The second step must follow the second batch's gradient, computed afresh. And the update must have
# a sensible size against the weights, near a thousandth: we accept a factor of ten either way, in the
# mean over an epoch.


# %%
def mixing(loop):
    """The loss of one example depends on the inputs of others."""
    x = loop.x[:8].clone().requires_grad_()
    loop.losses(new_model()(x), loop.y[:8])[0].backward()
    return bool(x.grad[1:].abs().max() > 0)


def stale_gradient(loop):
    """The second step does not go along the second batch's own gradient."""
    model = new_model()
    first, second = torch.arange(32), torch.arange(32, 64)
    step(loop, model, first)
    before = [w.detach().clone() for w in model.parameters()]
    fresh = torch.autograd.grad(loop.losses(model(loop.x[second]), loop.y[second]).mean(), model.parameters())
    step(loop, model, second)
    expected = [w - loop.learning_rate * g for w, g in zip(before, fresh)]
    return not all(torch.allclose(w, e, rtol=1e-3, atol=1e-6) for w, e in zip(model.parameters(), expected))


def update_ratios(loop):
    """Length of the update over length of the weights, for both matrices at each step of an epoch: (n, 2)."""
    model, ratios = new_model(), []
    for rows in loop.batches(len(loop.x), torch.Generator().manual_seed(0)):
        before = [w.detach().clone() for w in model.parameters() if w.ndim == 2]
        step(loop, model, rows)
        after = [w.detach() for w in model.parameters() if w.ndim == 2]
        ratios.append([((w - v).norm() / v.norm()).item() for w, v in zip(after, before)])
    return np.array(ratios)


def update_ratio(loop):
    """Updates are not near a thousandth of the weights."""
    return not 1e-4 < update_ratios(loop).mean() < 1e-2


# %% [markdown]
# ## Checks by a short run
#
# A network of this size can learn a few examples by heart: its loss must go to zero on a *single batch*.
# And with real inputs it must do better on validation rows than the same loop with all inputs set to
# zero, which can learn only how frequent each class is: the *input-independent baseline*.


# %%
def memorised_loss(loop, n_steps=1000):
    """The loss on one random batch after training on nothing else."""
    model = new_model()
    rows = torch.randperm(len(loop.x), generator=torch.Generator().manual_seed(0))[:32]
    return [step(loop, model, rows) for _ in range(n_steps)][-1]


def one_batch(loop):
    """Even a single batch cannot be learned by heart: a quarter of the loss of knowing nothing remains."""
    return not memorised_loss(loop) < math.log(10) / 4


def blind_baseline(loop):
    """Seeing the inputs does not help: later validation losses are not a third below that of a blind loop."""
    _, _, seeing = train(loop)
    blind, _, _ = train(replace(loop, x=torch.zeros_like(loop.x)))
    later = np.mean(seeing[len(seeing) // 2 :])
    return not later < validation_loss(blind, torch.zeros_like(x_validation)) * 2 / 3


checks = [first_loss, class_mix, neighbours, mixing, stale_gradient, update_ratio, one_batch, blind_baseline]


# %% [markdown]
# ## What we expect
#
# Knowing now which check looks at what, we write down which fault should set off which alarm *before*
# running anything. A check that is only looked at afterwards explains everything.

# %%
expected = {
    "healthy": [],
    "A": [stale_gradient, update_ratio, blind_baseline],  # gradients pile up, steps grow and grow
    "B": [one_batch, blind_baseline],  # the loss cannot reach zero, and hardly moves
    "C": [class_mix, update_ratio],  # batches agree with themselves, so their gradients are large
    "D": [first_loss, mixing, one_batch],  # a softmax over examples instead of classes
    "E": [update_ratio, one_batch, blind_baseline],  # giant steps
    "F": [neighbours, blind_baseline],  # labels can be learned by heart, and mean nothing
}

# %%
width = max(len(check.__name__) for check in checks)
alarms = {name: [check for check in checks if check(loop)] for name, loop in loops.items()}
print(" " * (width + 2) + "  ".join(name[0] for name in loops))
for check in checks:
    marks = "  ".join("x" if check in alarms[name] else "." for name in loops)
    print(f"{check.__name__:{width}s}  {marks}")
assert alarms == expected
assert len({tuple(check.__name__ for check in found) for found in alarms.values()}) == len(loops)

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
table = np.array([[check in alarms[name] for name in loops] for check in checks], dtype=float)  # (8, 7)
ax.imshow(table, cmap="Oranges", vmax=1.6, aspect="auto")
for row, column in np.argwhere(table):
    ax.text(column, row, "alarm", ha="center", va="center")
names = [check.__name__.replace("_", " ") for check in checks]
ax.set(xticks=range(len(loops)), xticklabels=list(loops), yticks=range(len(checks)), yticklabels=names)
ax.set(xlabel="loop", title="Each fault has a pattern of its own, and the healthy loop has none")
plt.show()

# %% [markdown]
# ## Diagnosis and cure
#
# The most telling alarm comes first: *stale gradient* names the missing `zero_grad` (A), *mixing* the
# wrong axis (D), *class mix* the missing shuffle (C), *neighbours* the shifted labels (F). B and E share
# two alarms, and the update ratio parts them: small steps that get nowhere against giant ones. We put
# back the one part that the pattern points to, and train again.

# %%
cures = {
    "A": {"clear_gradients": True},
    "B": {"losses": cross_entropies},
    "C": {"batches": shuffled_batches},
    "D": {"losses": cross_entropies},
    "E": {"learning_rate": healthy.learning_rate},
    "F": {"y": y_train},
}
cured = {name: accuracy(train(replace(patients[name], **part))[0]) for name, part in cures.items()}
print(f"{'patient':20s}{'ill':>12s}{'cured':>12s}   the part put back")
for name, part in cures.items():
    print(f"{name:20s}{accuracy(runs[name][0]):12.1%}{cured[name]:12.1%}   {', '.join(part)}")
    assert cured[name] > 0.88

# %% [markdown]
# ## One fault that looks like health
#
# None of these checks is set off by a *leak*: validation rows that were also trained on. The curves look
# better than they should, which nobody complains about. It takes a look at the data. We plant a leak,
# count the rows that occur on both sides, and run the whole checklist on it.


# %%
def leaked(x_train, x_validation):
    """How many rows of x_validation (m, D) also stand in x_train (n, D)."""
    known = {row.tobytes() for row in x_train.numpy()}
    return sum(row.tobytes() in known for row in x_validation.numpy())


planted = torch.cat([x_train[:900], x_validation[:100]])  # (1000, 64): 100 rows of the wrong side
leaky = replace(healthy, x=planted, y=torch.cat([y_train[:900], y_validation[:100]]))
found = [check.__name__ for check in checks if check(leaky)]
counts = leaked(x_train, x_validation), leaked(planted, x_validation)
print(f"on both sides: {counts[0]} as split, {counts[1]} with the leak; alarms: {found or 'none'}")
assert counts == (0, 100) and not found

# %% [markdown]
# ## What to remember
#
# - Look at the data first: labels beside their images, mixed batches, no row on both sides.
# - An untrained classifier has the loss $\ln(\text{classes})$, and a single batch can be learned by
#   heart. If either fails, nothing further is worth running.
# - Train once with the inputs set to zero: what it reaches is what seeing has to beat.
# - Updates near a thousandth of the weights; ten times more or less deserves a question.
# - Write down what a check should say before you run it.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Train with a rate a hundred times too small. Which alarms do you expect? Add a patient G and see.
# 2. Give a loop two faults, no shuffling and shifted labels. Which pattern comes out?
# 3. Shift the labels of a tenth of the rows only. From which share on does a check notice?
#
# ## Sources
#
# - A. Karpathy, "A recipe for training neural networks", 2019: most of these checks.
# - A. Ng, *Machine learning yearning*, 2018, chapters 28 to 32: reading learning curves.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data, CC BY 4.0.
