# %% [markdown]
# # 7.4 Diagnostics: why does it not learn?
#
# A training loop with a mistake in it hardly ever stops with an error. It runs to its end, and the
# network is a little worse than it could be, or much worse, or it looks fine and is not. So the usual
# question in practice is not "what does this message mean" but "why is the loss still at 1.9". To answer
# it we first look at the curves, and then measure, one after the other, the things that could be the
# cause.
#
# **You will build** a gallery of learning curves to recognize what you see, and a checklist of eight
# small tests that works with any model and optimizer, and you will try it on six loops with one fault
# each. **You need** cross-entropy (5.5), a training loop with dropout's and batch norm's two modes (4.4),
# learning rates (7.1) and optimizers (7.2). **It takes** about 25 seconds.

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
# Two losses can be predicted before anything has been trained. A network that knows nothing gives each
# of ten classes the probability $\frac1{10}$. And if somebody applies softmax to the scores before a
# loss that does so itself, the best that the second softmax can get is a $1$ for the right class and
# nine zeros:
#
# $$\begin{aligned}
#   \text{knowing nothing:} \quad & -\ln \tfrac1{10} = \ln 10 \approx 2.30 \\
#   \text{two softmaxes, certain and right:} \quad & -\ln \frac{e^1}{e^1 + 9 e^0}
#     = \ln\left(1 + \frac9e\right) \approx 1.46
# \end{aligned}$$
#
# A first loss far from $2.30$ or a loss that never gets below $1.46$ therefore says something.

# %%
one_label = torch.tensor([3])
nothing_known = F.cross_entropy(torch.zeros(1, 10), one_label).item()
certain = torch.full((1, 10), -1e4).index_fill(1, one_label, 1e4)  # (1, 10): certain, and right
softmax_floor = F.cross_entropy(certain.softmax(dim=1), one_label).item()
print(f"knowing nothing {nothing_known:.4f}, two softmaxes at best {softmax_floor:.4f}")

# %% [markdown]
# ## A loop made of parts
#
# To change one thing at a time we write the training loop so that its parts have names: the data, the
# model, the optimizer, the loss, how batches are chosen, and whether gradients are cleared. The model has
# dropout, which sets random hidden units to zero during training (8.1), and batch norm, which subtracts
# the mean of the batch (8.3), as real ones do, so `train()` and `eval()` matter. The loss function
# returns one loss for each example and not their mean, because a check below looks at single examples.
#
# The parts are held by a `dataclass`, a class for named values: from the list of names and defaults
# Python writes the `__init__`. And `replace(loop, learning_rate=0.1)` makes a copy of a loop in which
# only the named part differs.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

n_train = 1000
batch_size = 32
order = rng.permutation(len(images))
x_all = torch.from_numpy(images[order]).float()  # (1797, 64)
y_all = torch.from_numpy(labels[order])  # (1797,)
x_train, y_train = x_all[:n_train], y_all[:n_train]
x_validation, y_validation = x_all[n_train:], y_all[n_train:]


def norm_model():
    """64 pixels, 64 hidden units with batch norm and dropout, 10 classes."""
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))


def sgd_with_momentum(model, learning_rate):
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)


def cross_entropies(logits, y):
    """One loss for each example: logits (B, 10), y (B,) -> (B,)."""
    return F.cross_entropy(logits, y, reduction="none")


def shuffled_batches(n, generator):
    """Row numbers of one epoch, in random batches."""
    return torch.randperm(n, generator=generator).split(batch_size)


def batches_in_order(n, generator):
    """Row numbers of one epoch, in the order of the data."""
    return torch.arange(n).split(batch_size)


@dataclass
class Loop:
    """Everything that a training loop is made of."""

    x: torch.Tensor = x_train
    y: torch.Tensor = y_train
    make_model: Callable = norm_model
    make_optimizer: Callable = sgd_with_momentum
    learning_rate: float = 0.02
    losses: Callable = cross_entropies
    batches: Callable = shuffled_batches
    clear_gradients: bool = True
    x_validation: torch.Tensor = x_validation
    y_validation: torch.Tensor = y_validation


def new_run(loop, seed=0):
    """A fresh model of this loop and its optimizer."""
    torch.manual_seed(seed)
    model = loop.make_model()
    return model, loop.make_optimizer(model, loop.learning_rate)


def backward(loop, model, optimizer, rows):
    """Put the gradient of the loss on these rows into the model; returns the loss."""
    model.train()
    if loop.clear_gradients:
        optimizer.zero_grad()
    loss = loop.losses(model(loop.x[rows]), loop.y[rows]).mean()
    loss.backward()
    return loss.item()


@torch.no_grad()
def validate(loop, model):
    """Cross-entropy and accuracy on the validation rows, in evaluation mode."""
    model.eval()
    logits = model(loop.x_validation)  # (m, 10)
    loss = F.cross_entropy(logits, loop.y_validation).item()
    return loss, (logits.argmax(dim=1) == loop.y_validation).double().mean().item()


def train(loop, n_epochs=20, seed=0):
    """A trained model, its batch losses, its validation losses before and after each epoch, its accuracy."""
    model, optimizer = new_run(loop, seed)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    validation = [validate(loop, model)[0]]
    for _ in range(n_epochs):
        for rows in loop.batches(len(loop.x), generator):
            losses.append(backward(loop, model, optimizer, rows))
            optimizer.step()
        validation.append(validate(loop, model)[0])
    return model, losses, validation, validate(loop, model)[1]


# %% [markdown]
# ## A gallery of learning curves
#
# First the curves of eight runs of which we know what they are. In each the healthy loop is changed in
# the way that is named below. (Three of them, few examples, wrong labels and the leak, also get a wider
# network without dropout and more epochs, so that the effect shows clearly.) Before you look, think how
# each change might show: where will the training loss (blue, one value for each batch) be, and where the
# validation loss (orange, one for each epoch)?
#
# - **rate too low**, a hundredth of the healthy rate, and **too high**, two hundred times as high;
# - **tiny start**: no batch norm, and weights that are a thousand times smaller than usual;
# - **few examples**: 60 training rows, and a wider network without batch norm and dropout;
# - **wrong labels**: three in ten training labels replaced by random ones (one in ten of these is right by
#   chance), and the wider network;
# - **data in order**: batches come sorted by digit;
# - **a leak**: 60 training rows as before, and most of the validation rows are copies of them.


# %%
def wide_model():
    """64 pixels, 256 hidden units, 10 classes; nothing that would regularize."""
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))


def tiny_start():
    """The model without batch norm and dropout, its weights a thousand times smaller, its biases zero."""
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    with torch.no_grad():
        for w in model.parameters():
            w *= 1e-3 if w.ndim == 2 else 0
    return model


healthy = Loop()
by_label = torch.argsort(y_train, stable=True)
wrong = torch.from_numpy(rng.random(n_train) < 0.3)  # (1000,)
random_labels = torch.from_numpy(rng.integers(10, size=n_train))  # (1000,)
FEW = 60
copies = torch.from_numpy(rng.integers(FEW, size=200))  # (200,): which training rows are copied
few_examples = replace(healthy, x=x_train[:FEW], y=y_train[:FEW], make_model=wide_model)
gallery = {
    "healthy": healthy,
    "rate too low": replace(healthy, learning_rate=0.01 * healthy.learning_rate),
    "rate too high": replace(healthy, learning_rate=200 * healthy.learning_rate),
    "tiny start": replace(healthy, make_model=tiny_start),
    "few examples": few_examples,
    "wrong labels": replace(healthy, y=torch.where(wrong, random_labels, y_train), make_model=wide_model),
    "data in order": replace(healthy, x=x_train[by_label], y=y_train[by_label], batches=batches_in_order),
    "a leak": replace(
        few_examples,
        x_validation=torch.cat([x_train[copies], x_validation[:50]]),
        y_validation=torch.cat([y_train[copies], y_validation[:50]]),
    ),
}
EPOCHS = {"few examples": 200, "a leak": 200, "wrong labels": 60}  # the others: 20
curves = {}
print(
    f"{'run':20s}{'first loss':>12s}{'last losses':>12s}{'validation':>12s}{'lowest':>12s}{'accuracy':>12s}"
)
for name, loop in gallery.items():
    _, losses, validation, accuracy = train(loop, EPOCHS.get(name, 20))
    curves[name] = {"losses": losses, "validation": validation, "accuracy": accuracy}
    numbers = f"{losses[0]:12.2f}{np.mean(losses[-20:]):12.2f}{validation[-1]:12.2f}{min(validation):12.2f}"
    print(f"{name:20s}{numbers}{accuracy:12.1%}")


def draw_curves(ax, losses, validation, title):
    """Batch losses and validation losses over epochs; the dotted line is the loss of knowing nothing."""
    n_batches = len(losses) / (len(validation) - 1)  # in an epoch
    epochs = np.arange(len(losses)) / n_batches
    ax.plot(epochs, losses, "-", color="C0", linewidth=0.8, label="training")
    ax.plot(validation, "--", color="C1", linewidth=2, label="validation")
    ax.axhline(math.log(10), color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    ax.set(title=title, ylim=(0, 5))


fig, axs = plt.subplots(2, 4, figsize=(14, 5.6), layout="constrained", sharey=True)
for ax, (name, curve) in zip(axs.flat, curves.items()):
    draw_curves(ax, curve["losses"], curve["validation"], name)
axs[0, 0].legend()
for ax in axs[1]:
    ax.set_xlabel("epoch")
for ax in axs[:, 0]:
    ax.set_ylabel("loss (nats)")
plt.show()

# %% [markdown]
# The dotted line is the loss of knowing nothing. Compare each panel with the first one, the healthy loop.
# (Each panel is one run with one seed. Two other seeds gave the same eight pictures.)
#
# - **Rate too low**: the loss falls smoothly but slowly, and is still falling at the end. **Rate too
#   high**: it jumps about the dotted line.
# - **Tiny start**: the loss first stays on the dotted line, a plateau as near a saddle (7.1), and then
#   falls. Nothing is wrong with this run, it only takes longer.
# - **Few examples**: the training loss is close to zero, but the validation loss stays where it is. The
#   distance between the two is what more data, or regularization, could gain.
# - **Wrong labels**: the training loss stays high, _above_ the validation loss, because the network
#   cannot foresee random labels, and in the validation set the labels are right. Later it begins to learn
#   them by heart, and the validation loss rises a little.
# - **Data in order**: the training loss is a sawtooth, because most batches have only one digit, so that
#   the network learns to say that digit and forgets the others.
# - **A leak**: the network is trained on the same 60 rows as in the fifth panel, and its validation loss
#   is much better. This is the only panel that looks better than it is.
#
# ## Six loops with one fault each
#
# Now we take loops that are broken and want to find out where. The next cell changes exactly one part of
# each. If you want to guess, do not read it now, and come back to it after the checks.


# %%
def losses_on_axis_0(logits, y):
    """A softmax over the wrong axis: logits (B, 10), y (B,) -> (B,)."""
    return -logits.log_softmax(dim=0)[torch.arange(len(y)), y]


def losses_after_softmax(logits, y):
    """A softmax before the loss that applies one itself."""
    return cross_entropies(logits.softmax(dim=1), y)


FAULTS = {
    "A": {"clear_gradients": False},
    "B": {"losses": losses_after_softmax},
    "C": {"x": x_train[by_label], "y": y_train[by_label], "batches": batches_in_order},
    "D": {"losses": losses_on_axis_0},
    "E": {"learning_rate": 200 * healthy.learning_rate},
    "F": {"y": y_train.roll(1)},  # every image has the label of the image before it
}
faulty_loops = {name: replace(healthy, **fault) for name, fault in FAULTS.items()}

runs = {name: train(loop) for name, loop in {"healthy": healthy, **faulty_loops}.items()}
print(f"{'loop':20s}{'first loss':>12s}{'last losses':>12s}{'validation':>12s}{'accuracy':>12s}")
for name, (_, losses, validation, accuracy) in runs.items():
    print(f"{name:20s}{losses[0]:12.2f}{np.mean(losses[-20:]):12.2f}{validation[-1]:12.2f}{accuracy:12.1%}")

fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
for ax, name in zip(axs.flat, faulty_loops):
    _, losses, validation, _ = runs[name]
    draw_curves(ax, losses, validation, f"loop {name}")
axs[0, 0].legend()
for ax in axs[1]:
    ax.set_xlabel("epoch")
for ax in axs[:, 0]:
    ax.set_ylabel("loss (nats)")
plt.show()

# %% [markdown]
# The losses of loop A leave the picture. Loop C shows the sawtooth of the gallery, and loop E looks like
# a rate that is too high. Loop F begins to learn its training labels by heart while its validation loss
# climbs above the dotted line. But loops B and D reach a good validation loss, and more than nine of ten
# validation images are read correctly. Only their training losses are odd, and one sees that only beside
# the healthy loop. So curves may tell that something is wrong. To find out what it is, one has to
# measure.
#
# ## Checks before training and in a single step
#
# Each check measures one number, and these five need at most two steps of training:
#
# - **first loss**: an untrained model has a loss near $\ln 10$.
# - **class mix**: a batch is a fair sample, so it holds many of the ten classes.
# - **neighbours**: an image and the image most like it mostly have the same label. (That holds for small
#   centred pictures like these, but not for raw photos, even if all their labels are right; there,
#   compare features.)
# - **mixing**: in evaluation mode the loss of an example depends on its own input only. (In training mode
#   batch norm mixes examples on purpose.)
# - **stale gradient**: what stands in `.grad` after the second backward pass is the gradient of the
#   second batch. Any optimizer may make of it what it likes.


# %%
def first_loss(loop):
    """The loss of an untrained model."""
    model, _ = new_run(loop)
    with torch.no_grad():
        return loop.losses(model(loop.x), loop.y).mean().item()


def class_mix(loop):
    """The number of classes in a batch (median)."""
    batches = loop.batches(len(loop.x), torch.Generator().manual_seed(0))
    return float(np.median([len(loop.y[rows].unique()) for rows in batches]))


def neighbours(loop):
    """The share of examples whose nearest neighbour has the same label."""
    distances = torch.cdist(loop.x, loop.x).fill_diagonal_(math.inf)  # (n, 64), (n, 64) -> (n, n)
    return (loop.y[distances.argmin(dim=1)] == loop.y).double().mean().item()


def mixing(loop):
    """The largest gradient of the first example's loss with respect to another example's input."""
    model, _ = new_run(loop)
    model.eval()
    x = loop.x[:8].clone().requires_grad_()
    loop.losses(model(x), loop.y[:8])[0].backward()
    return x.grad[1:].abs().max().item()


def stale_gradient(loop):
    """The relative difference between `.grad` in the second step and the second batch's own gradient."""
    model, optimizer = new_run(loop)
    first, second = torch.arange(len(loop.x))[:64].chunk(2)
    backward(loop, model, optimizer, first)
    optimizer.step()
    torch.manual_seed(1)  # dropout draws the same units both times
    backward(loop, model, optimizer, second)
    found = torch.cat([w.grad.flatten() for w in model.parameters()])  # (P,)
    torch.manual_seed(1)
    loss = loop.losses(model(loop.x[second]), loop.y[second]).mean()
    fresh = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])  # (P,)
    return ((found - fresh).norm() / fresh.norm()).item()


# %% [markdown]
# ## Checks by a short run
#
# - **update ratio**: the length of a step divided by the length of the weights, for the matrices, over
#   the first epoch. Values from about a thousandth to a hundredth are usual, and in the first epoch of a
#   short run with a high rate they may be a few times larger, so the upper limit below is generous.
# - **one batch**: a network of this size can learn a single batch by heart, so its loss there must go to
#   zero.
# - **blind baseline**: with all inputs set to zero, the same loop can learn only how frequent each class
#   is. Seeing the inputs must do clearly better on validation rows.


# %%
def update_ratio(loop):
    """Length of a step over length of the weights: the mean over both matrices and one epoch."""
    model, optimizer = new_run(loop)
    matrices = [w for w in model.parameters() if w.ndim == 2]
    ratios = []
    for rows in loop.batches(len(loop.x), torch.Generator().manual_seed(0)):
        before = [w.detach().clone() for w in matrices]
        backward(loop, model, optimizer, rows)
        optimizer.step()
        ratios.append([((w - v).norm() / v.norm()).item() for w, v in zip(matrices, before)])
    return float(np.mean(ratios))


def one_batch(loop, n_steps=300):
    """The loss on one random batch after training on nothing else, in evaluation mode."""
    model, optimizer = new_run(loop)
    rows = torch.randperm(len(loop.x), generator=torch.Generator().manual_seed(0))[:32]
    for _ in range(n_steps):
        backward(loop, model, optimizer, rows)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return loop.losses(model(loop.x[rows]), loop.y[rows]).mean().item()


def blind_baseline(loop):
    """The validation loss of the loop, divided by that with all inputs zero (later halves of both)."""
    blind = replace(loop, x=torch.zeros_like(loop.x), x_validation=torch.zeros_like(loop.x_validation))
    n_epochs = max(12, 400 * batch_size // len(loop.x))  # at least about 400 steps
    seeing_losses = train(loop, n_epochs)[2]
    blind_losses = train(blind, n_epochs)[2]
    later = n_epochs // 2 + 1
    return float(np.mean(seeing_losses[later:]) / np.mean(blind_losses[later:]))


CHECKS = {  # check: (lowest and highest value that give no alarm)
    first_loss: (math.log(10) - 0.3, math.log(10) + 0.3),
    class_mix: (5, 10),
    neighbours: (0.5, 1.0),
    mixing: (0.0, 1e-6),
    stale_gradient: (0.0, 1e-3),
    update_ratio: (1e-3, 0.15),
    one_batch: (0.0, math.log(10) / 4),
    blind_baseline: (0.0, 0.5),
}


def examine(loop):
    """What each check measures on a loop: {name of the check: value}."""
    return {check.__name__: check(loop) for check in CHECKS}


def alarms_of(findings):
    """The names of the checks whose values are not acceptable (or not a number)."""
    limits = {check.__name__: limits for check, limits in CHECKS.items()}
    return [name for name, value in findings.items() if not limits[name][0] <= value <= limits[name][1]]


# %% [markdown]
# Which alarms should each fault set off? Think of two or three before you run the cell.

# %%
findings = {name: examine(loop) for name, loop in {"healthy": healthy, **faulty_loops}.items()}
alarms = {name: alarms_of(found) for name, found in findings.items()}
for name, found in alarms.items():
    print(f"{name:10s}{', '.join(found) or 'no alarm'}")


def draw_alarms(ax, findings, title):
    """A table of what the checks measured; alarms are coloured."""
    names = [check.__name__ for check in CHECKS]
    table = np.array(
        [[name in alarms_of(found) for found in findings.values()] for name in names], dtype=float
    )
    ax.imshow(table, cmap="Oranges", vmax=1.6, vmin=0, aspect="auto")
    for row, name in enumerate(names):
        for column, found in enumerate(findings.values()):
            ax.text(column, row, f"{found[name]:.2g}", ha="center", va="center", fontsize=8)
    ax.set(xticks=range(len(findings)), xticklabels=list(findings), title=title)
    ax.set(yticks=range(len(names)), yticklabels=[name.replace("_", " ") for name in names])


fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
draw_alarms(ax, findings, "What the checks measured (coloured: alarm)")
ax.set_xlabel("loop")
plt.show()

# %% [markdown]
# The healthy loop sets off no alarm, and no two loops have the same pattern. Each fault sets off the
# check that looks directly at it: the stale gradient names the missing `zero_grad` (A), the class mix
# names the missing shuffle (C), mixing names the wrong axis (D), the update ratio the rate (E), and the
# neighbours the shifted labels (F). For B the number itself is the diagnosis, because a single batch
# stops at the $1.46$ of the paper. Checks that look at the result (one batch, blind baseline) notice
# many faults but name none.
#
# The limits in `CHECKS` were chosen while looking at these very loops. Do the checks also work on a loop
# that they have not seen? We take another network, without batch norm and dropout, with Adam in place of
# SGD, and break it in the same six ways.


# %%
def adam(model, learning_rate):
    return torch.optim.Adam(model.parameters(), lr=learning_rate)


def plain_model():
    """64 pixels, two layers of 48 tanh units, 10 classes."""
    return nn.Sequential(nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 10))


other = replace(healthy, make_model=plain_model, make_optimizer=adam, learning_rate=0.003)
other_loops = {"healthy": other}
for name, fault in FAULTS.items():
    change = {"learning_rate": 200 * other.learning_rate} if name == "E" else fault
    other_loops[name] = replace(other, **change)
other_findings = {name: examine(loop) for name, loop in other_loops.items()}
other_alarms = {name: alarms_of(found) for name, found in other_findings.items()}

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
draw_alarms(ax, other_findings, "The same checks on a network with Adam and without batch norm")
ax.set_xlabel("loop")
plt.show()

# %% [markdown]
# The healthy loop raises no alarm here either, and every fault again sets off the alarm that names it.
# Two faults are better hidden than before, because with Adam gradients that pile up (A) and sorted
# batches (C) do so little harm that the blind baseline does not notice. Only the checks that look
# directly at the gradient and at the batches do.
#
# ## One fault that looks like health
#
# The last run of the gallery had another kind of fault, the leak. Nothing is wrong with its loop, so
# will any of the checks be set off? Its curves look better than they should, and nobody complains about
# that, so one also has to look at the data. Do any validation rows stand among the training rows?


# %%
def leaked(x_train, x_validation):
    """How many rows of x_validation (m, D) also stand in x_train (n, D)."""
    known = {row.tobytes() for row in x_train.numpy()}
    return sum(row.tobytes() in known for row in x_validation.numpy())


leaky = gallery["a leak"]
leaks = {"as split": leaked(x_train, x_validation), "with the leak": leaked(leaky.x, leaky.x_validation)}
print(
    f"validation rows that were also trained on: {leaks} of {len(x_validation)} and {len(leaky.x_validation)}"
)
leak_alarms = alarms_of(examine(leaky))
print(f"alarms of the checklist: {leak_alarms or 'none'}")

# %% [markdown]
# The loop is sound, so the checklist is silent, but the count finds all 200 copies. It can do so only
# because they are exact. Two photos of the same scene, or two scans of the same patient, are a leak as
# well, and are kept apart only by splitting scenes or patients instead of rows (3.1).
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert abs(nothing_known - math.log(10)) < 1e-6, "knowing nothing costs ln 10"
assert abs(softmax_floor - math.log(1 + 9 / math.e)) < 1e-6, "two softmaxes cost ln(1 + 9/e) at best"
assert F.cross_entropy(certain, one_label) < 1e-6, "one softmax costs nothing if it is certain and right"
assert curves["healthy"]["accuracy"] > 0.93, "the healthy loop learns to read"
slow = curves["rate too low"]["validation"]
assert slow[-1] > 5 * curves["healthy"]["validation"][-1], "with a rate too low the loss is still high"
assert np.all(np.diff(slow) < 0), "and it falls in every epoch"
assert curves["rate too high"]["validation"][-1] > 1.5, "with a rate too high nothing is learned"
tiny = curves["tiny start"]["validation"]
assert tiny[1] > 2.2 and tiny[-1] < 0.5, "from a tiny start the loss first stays on a plateau, then falls"
few = curves["few examples"]
assert np.mean(few["losses"][-20:]) < 0.05, "with few examples the training loss is close to zero"
assert np.mean(few["losses"][-20:]) < 0.1 * few["validation"][-1], "and the gap is wide"
noisy = curves["wrong labels"]
assert np.mean(noisy["losses"][-20:]) > noisy["validation"][-1], (
    "with wrong labels the training loss is the higher one"
)
assert noisy["validation"][-1] > 3 * curves["healthy"]["validation"][-1], (
    "and the validation loss is worse than healthy"
)
assert noisy["validation"][-1] > min(noisy["validation"]) + 0.01, "which rises a little towards the end"
last_epochs = {name: np.array(curves[name]["losses"][-32:]) for name in ("healthy", "data in order")}
ratio = np.ptp(last_epochs["data in order"]) / np.ptp(last_epochs["healthy"])
assert ratio > 3, "data in order: within an epoch the training loss swings several times as widely"
assert curves["a leak"]["validation"][-1] < 0.5 * few["validation"][-1], (
    "the leak looks much better than its rows allow"
)
assert max(runs["A"][1]) > 5, "loop A explodes"
assert np.mean(runs["F"][1][-20:]) < math.log(10) - 0.2, "loop F begins to learn its training labels by heart"
assert runs["F"][2][-1] > math.log(10), "while its validation loss climbs above that of knowing nothing"
assert np.mean(runs["B"][1][-20:]) > softmax_floor, "loop B stays above the floor of two softmaxes"
assert abs(findings["B"]["one_batch"] - softmax_floor) < 0.01, "a single batch of B stops at that floor"
assert min(runs[name][3] for name in "BD") > 0.9, "loops B and D read well in spite of their faults"
assert max(runs[name][3] for name in "ACEF") < 0.6, "loops A, C, E and F do not"
EXPECTED = {  # the alarm that names each fault
    "A": "stale_gradient",
    "B": "one_batch",
    "C": "class_mix",
    "D": "mixing",
    "E": "update_ratio",
    "F": "neighbours",
}
for found in (alarms, other_alarms):
    assert found["healthy"] == [], "the healthy loop sets off no alarm"
    for name, check in EXPECTED.items():
        assert check in found[name], f"loop {name} sets off the alarm {check}"
    assert len({tuple(pattern) for pattern in found.values()}) == len(found), (
        "no two loops have the same pattern"
    )
for name in "AC":
    assert other_alarms[name] == [EXPECTED[name]], f"with Adam, loop {name} sets off no other alarm"
assert leaks == {"as split": 0, "with the leak": 200}, "the count finds the copies, and no others"
assert leak_alarms == [], "no check is set off by a leak"

# %% [markdown]
# ## What to remember
#
# - Look at the data first: labels beside their images, mixed batches, no row on both sides.
# - An untrained classifier has a loss of $\ln(\text{classes})$, and a single batch can be learned by
#   heart. If either fails, find out why before you run anything longer.
# - Train once with all inputs zero: what that reaches is what seeing has to beat.
# - A high training loss points to the loop, the rate, the start or the labels. A low one beside a high
#   validation loss points to too few data or too little regularization (7.6).
# - A good validation loss does not prove that the loop is right. Check the parts.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Give the healthy loop's learning rate a hundredth: in `FAULTS` replace the fault of E by
#    `{"learning_rate": 0.01 * healthy.learning_rate}`. Which alarms will it set off? Look at the third
#    figure.
# 2. Shift only a tenth of the labels: replace the fault of F by `{"y": torch.where(torch.arange(n_train)
#    < 100, y_train.roll(1), y_train)}`. Does any check still set off an alarm, and which number has
#    moved? Look at the third figure.
# 3. From a blank cell at the end: write a ninth check, `frozen_part(loop)`, which counts the parameters
#    that one step does not change at all. Try it on the healthy loop and on one whose `make_model` sets
#    `requires_grad_(False)` on the first layer. What should each give?
#
# ## Sources
#
# - A. Karpathy, "A recipe for training neural networks", 2019: most of these checks. Reproduced: "the
#   healthy loop sets off no alarm".
# - A. Ng, _Machine learning yearning_, 2018, chapters 28 to 32: reading learning curves.
# - C. Northcutt, A. Athalye, J. Mueller, "Pervasive label errors in test sets destabilize machine learning
#   benchmarks", NeurIPS 2021: how common wrong labels are.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data, CC BY 4.0.
