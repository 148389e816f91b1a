# %% [markdown]
# # 8.5 Early stopping: take it out before it burns
#
# Bread in the oven gets better, and then it gets worse. Nobody knows the minute beforehand, so one looks
# through the window. Training is like this: for a while a network learns what is common to all images, and
# then it learns by heart. The window is the validation set. And there is one comfort that bakers do not
# have: we may go back to how it was at its best.
#
# **You will build** a stopper with patience that keeps the best weights, and a monitor that draws curves
# while the network trains; find out why the loss can rise while the accuracy does, too; and measure what
# it costs to look through the window so often. **You need** evaluation (3.4), Adam (7.2) and weight decay
# (8.2).

# %%
import builtins
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

# %% [markdown]
# ## On paper first
#
# Validation losses of seven epochs: $0.9,\ 0.7,\ 0.6,\ 0.62,\ 0.61,\ 0.5,\ 0.55$. With a *patience* of two
# we stop after two epochs in a row that did not beat the best so far: after epoch 5, and the best was
# epoch 3. With a patience of three we would have lived to see epoch 6. Patience buys a look over the next
# hill, and the price is epochs.

# %%
curve = [0.9, 0.7, 0.6, 0.62, 0.61, 0.5, 0.55]


def stop_on_paper(curve, patience):
    """(Epoch of the stop or None, best epoch so far), counted from 1."""
    for epoch in range(1, len(curve) + 1):
        best = 1 + int(np.argmin(curve[:epoch]))
        if epoch - best >= patience:
            return epoch, best
    return None, 1 + int(np.argmin(curve))


print("patience 2:", stop_on_paper(curve, 2), "  patience 3:", stop_on_paper(curve, 3))
assert stop_on_paper(curve, 2) == (5, 3) and stop_on_paper(curve, 3) == (None, 6)

# %% [markdown]
# ## From scratch: the stopper
#
# Two questions, kept apart. *Which weights were best?* Those with the lowest loss, however small the
# margin. *Is it still getting anywhere?* Only if the loss falls by more than a minimum change; else
# patience runs out. A tie is no progress, and neither is a loss that is not a number: comparisons with NaN
# are false.
#
# A `state_dict` refers to the weights themselves, and they go on changing. Whoever wants to keep them has
# to copy.


# %%
class EarlyStopping:
    """Stops after `patience` epochs without an improvement of more than `min_change`; keeps the best weights.

    `best` and `best_epoch` (from 1) tell the lowest value seen, `waited` how many epochs have not improved.
    Raises ValueError unless patience is at least 1 and min_change at least 0.
    """

    def __init__(self, patience, min_change=0.0):
        if not (patience >= 1 and min_change >= 0):
            raise ValueError(f"needs patience >= 1 and min_change >= 0, got {patience} and {min_change}")
        self.patience, self.min_change = patience, min_change
        self.best, self.best_epoch, self.weights = np.inf, None, None
        self.reference, self.epoch, self.waited = np.inf, 0, 0

    def update(self, value, model=None):
        """Note the next epoch's value, lower is better; True when it is time to stop."""
        self.epoch += 1
        if value < self.best:
            self.best, self.best_epoch = value, self.epoch
            if model is not None:
                self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if value < self.reference - self.min_change:
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, model):
        """Put the best weights back; raises ValueError where none were kept."""
        if self.weights is None:
            raise ValueError("no weights were kept: update was never called with a finite value and a model")
        model.load_state_dict(self.weights)


# %% [markdown]
# Curves made by hand, with the epoch at which it has to stop. The last one falls by less than the minimum
# change every epoch. It may go on, because small steps add up against the same reference.


# %%
def stop_epoch(curve, patience, min_change=0.0):
    """(Epoch of the stop or None, best epoch) of a fresh stopper on `curve`."""
    stopper = EarlyStopping(patience, min_change)
    for value in curve:
        if stopper.update(value):
            return stopper.epoch, stopper.best_epoch
    return None, stopper.best_epoch


cases = {
    "on paper": (curve, 2, 0.0, (5, 3)),
    "a tie": ([0.5, 0.5, 0.5], 2, 0.0, (3, 1)),
    "not a number": ([0.5, np.nan, np.nan, 0.4], 2, 0.0, (3, 1)),
    "a plateau": ([0.5, 0.499, 0.498, 0.497], 3, 0.01, (4, 4)),
    "a slow slope": ([0.5 - 0.006 * step for step in range(9)], 2, 0.01, (None, 9)),
}
for name, (values, patience, min_change, expected) in cases.items():
    found = stop_epoch(values, patience, min_change)
    print(f"{name:20s}stops after {found[0]!s:>5s}   lowest at {found[1]}")
    assert found == expected

# %% [markdown]
# And the weights. A layer is changed by hand after each epoch, and the best epoch's must come back. The
# copy is what makes it work: without `clone` the dictionary shows the last weights.

# %%
layer, stopper = nn.Linear(3, 2), EarlyStopping(patience=2)
for value in (0.8, 0.3, 0.6):
    with torch.no_grad():
        layer.weight.fill_(value)
    stopper.update(value, layer)
    if value == stopper.best:
        reference = layer.state_dict()
print(f"kept by copy {stopper.weights['weight'][0, 0]:.1f}, by reference {reference['weight'][0, 0]:.1f}")
stopper.restore(layer)
assert torch.all(layer.weight == 0.3) and stopper.weights["weight"].data_ptr() != layer.weight.data_ptr()

# %% [markdown]
# ## The same in PyTorch
#
# PyTorch has no stopper, but it has the same counter: `ReduceLROnPlateau` lowers the learning rate when
# its patience has run out (it allows `patience` bad epochs and acts on the next, so its number is one
# less). On random curves, its first reduction has to come where we stop.

# %%
agreed, n_stopped = 0, 0
for _ in range(100):
    curve = np.cumsum(rng.normal(loc=-0.3, size=30))
    patience, min_change = int(rng.integers(1, 6)), float(rng.choice([0.0, 0.3]))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=patience - 1, threshold=min_change, threshold_mode="abs"
    )
    rates = []
    for value in curve:
        plateau.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    theirs = next((epoch for epoch, rate in enumerate(rates, 1) if rate < 1), None)
    ours = stop_epoch(curve, patience, min_change)[0]
    agreed, n_stopped = agreed + (ours == theirs), n_stopped + (ours is not None)
print(f"{agreed} of 100 curves agree, {n_stopped} of them stopped")
assert agreed == 100 and n_stopped > 50

# %% [markdown]
# ## A window into the oven
#
# A monitor that serves wherever training runs. In a notebook it redraws one figure in place; a notebook
# lends every program a function `display`, and that is how we know. In a terminal it prints lines. Either
# way each row goes to a CSV file at once, so that a crash in the night loses nothing.


# %%
class TrainingMonitor:
    """Curves while training: live in a notebook, lines in a terminal, and every epoch in a CSV file."""

    def __init__(self, path, columns, every=1):
        self.path, self.columns, self.every = Path(path), tuple(columns), every
        self.rows, self.handle = [], None
        self.display = getattr(builtins, "display", None)  # notebooks have it built in
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(("epoch", *self.columns))

    def log(self, epoch, **values):
        """Note one epoch; raises ValueError unless there is one value for each column."""
        if set(values) != set(self.columns):
            raise ValueError(f"expected values for {self.columns}, got {tuple(values)}")
        self.rows.append((epoch, *(float(values[name]) for name in self.columns)))
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(self.rows[-1])
        if epoch % self.every == 0 and self.display:
            self.draw()
        elif epoch % self.every == 0:
            print(f"epoch {epoch:3d}   " + "   ".join(f"{name} {values[name]:.4f}" for name in self.columns))

    def draw(self):
        """Show the curves so far, in the place of the last ones."""
        fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        plt.close(fig)  # or the notebook would show it once more at the end of the cell
        epochs, *curves = np.array(self.rows).T  # (1 + columns, epochs)
        for name, curve, style in zip(self.columns, curves, ("-", "--", "-.", ":") * len(curves)):
            ax.plot(epochs, curve, style, label=name)
        ax.set(xlabel="epoch", title=f"Epoch {epochs[-1]:.0f}")
        ax.legend()
        if self.handle is None:
            self.handle = self.display(fig, display_id=True)
        else:
            self.handle.update(fig)


def read_log(path):
    """A monitor's CSV file as a dict of arrays, one a column."""
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    table = np.array(rows, float).reshape(-1, len(header))  # (epochs, 1 + columns)
    return dict(zip(header, table.T, strict=True))


# %% [markdown]
# ## Loss against accuracy
#
# A thousand images to train on, a thousand for validation, two thousand kept apart as a test. We train
# twice: with the labels as they are, and with the tired annotator of lesson 8.2, who replaces one label in
# five by a random one. The stopper notes when it would stop; we go on to the end, to see what it spared
# us. Of each validation and test image we keep, every epoch, the loss and whether the answer was right.


# %%
def train_watched(wrong_share, seed, log_path, n_epochs=60, patience=5, learning_rate=2e-3):
    """A network trained on 1,000 images, a dict of what happened, and the stopper.

    The dict has `train` (n_epochs,), and for the 3,000 other images `losses` and `right` (n_epochs, 3000),
    of which the first 1,000 are the validation set; `stop` is the epoch, from 1, at which patience ran out.
    """
    torch.manual_seed(seed)
    order = torch.randperm(5000)
    x, y = train_images[order[:1000]], train_labels[order[:1000]].clone()
    other_x, other_y = train_images[order[1000:4000]], train_labels[order[1000:4000]]
    tired = torch.rand(1000) < wrong_share
    y[tired] = torch.randint(10, (int(tired.sum()),))
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, foreach=True)
    stopper, monitor = EarlyStopping(patience), TrainingMonitor(log_path, ("train", "valid"), every=10)
    seen = {"train": [], "losses": [], "right": [], "stop": None}
    for epoch in range(1, n_epochs + 1):
        for batch in torch.randperm(1000).split(100):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            seen["train"].append(F.cross_entropy(model(x), y).item())
            logits = model(other_x)  # (3000, 10)
        seen["losses"].append(F.cross_entropy(logits, other_y, reduction="none").numpy())
        seen["right"].append((logits.argmax(dim=1) == other_y).numpy())
        valid = seen["losses"][-1][:1000].mean()
        monitor.log(epoch, train=seen["train"][-1], valid=valid)
        if seen["stop"] is None and stopper.update(valid, model):
            seen["stop"] = epoch
    seen = {name: value if name == "stop" else np.array(value) for name, value in seen.items()}
    return model, seen, stopper


runs, logs = {}, {}
with tempfile.TemporaryDirectory() as folder:
    for name, wrong_share in (("clean", 0.0), ("noisy", 0.2)):
        print(f"{name} labels")
        runs[name] = train_watched(wrong_share, seed=0, log_path=Path(folder) / "log.csv")
        logs[name] = read_log(Path(folder) / "log.csv")
        assert np.array_equal(logs[name]["train"], runs[name][1]["train"])

# %%
columns = ("best epoch", "stop", "test loss", "at the end", "test acc.", "at the end")
print(f"{'labels':20s}" + "".join(f"{column:>12s}" for column in columns))
test = {}
for name, (_, seen, stopper) in runs.items():
    # each (n_epochs,), over the test images
    loss, right = seen["losses"][:, 1000:].mean(axis=1), seen["right"][:, 1000:].mean(axis=1)
    best = stopper.best_epoch - 1
    test[name] = {"loss": (loss[best], loss[-1]), "accuracy": (right[best], right[-1])}
    numbers = *test[name]["loss"], *test[name]["accuracy"]
    print(f"{name:20s}{best + 1:12d}{seen['stop']:12d}" + "".join(f"{value:12.3f}" for value in numbers))
    assert seen["stop"] == stopper.best_epoch + 5 < len(loss)
    assert loss[-1] > loss[best] + 0.05
assert test["noisy"]["accuracy"][0] > test["noisy"]["accuracy"][1] + 0.015
assert abs(test["clean"]["accuracy"][0] - test["clean"]["accuracy"][1]) < 0.025

# %% [markdown]
# With clean labels the loss at the end is far above its best, and the accuracy has hardly moved. With
# noisy labels both get worse, and stopping saves both. How can the loss rise alone? It counts how sure the
# network is. Split the clean run's test images into those it gets right and those it gets wrong.

# %%
model, seen, stopper = runs["clean"]
stopper.restore(model)
with torch.no_grad():
    torch.manual_seed(0)
    chosen = torch.randperm(5000)[1000:2000]  # the validation images of seed 0
    back = F.cross_entropy(model(train_images[chosen]), train_labels[chosen]).item()
print(f"validation loss of the restored weights {back:.4f}, lowest before the stop {stopper.best:.4f}")
assert abs(back - stopper.best) < 1e-4
losses, right = seen["losses"][:, 1000:], seen["right"][:, 1000:]  # each (n_epochs, 2000)
sure = {
    "right answers": np.array([row[good].mean() for row, good in zip(losses, right)]),
    "wrong answers": np.array([row[~good].mean() for row, good in zip(losses, right)]),
}
for name, row in sure.items():
    print(f"{name:20s}loss at the best epoch {row[stopper.best_epoch - 1]:.2f}, at the end {row[-1]:.2f}")
assert sure["right answers"][-1] < sure["right answers"][stopper.best_epoch - 1]
assert sure["wrong answers"][-1] > 1.25 * sure["wrong answers"][stopper.best_epoch - 1]

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, (_, seen, stopper)) in zip(axes, runs.items()):
    epochs = np.arange(1, len(seen["train"]) + 1)
    ax.plot(epochs, seen["train"], "-", color="C0", label="training loss")
    ax.plot(epochs, logs[name]["valid"], "--", color="C1", label="validation loss")
    ax.plot(epochs, seen["right"][:, 1000:].mean(axis=1), ":", color="C2", label="test accuracy")
    ax.plot(stopper.best_epoch, stopper.best, "o", color="0.2", markerfacecolor="none", label="weights kept")
    ax.axvline(seen["stop"], color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="epoch", ylim=(0, 1.5), title=f"{name} labels (grey: patience is out)")
axes[0].set_ylabel("loss (nats), accuracy")
axes[0].legend(fontsize=8)
for (name, row), style, color in zip(sure.items(), ("-", "--"), ("C0", "C1")):
    axes[2].plot(epochs, row, style, color=color, label=name)
axes[2].set(xlabel="epoch", ylabel="mean loss (nats)", title="clean labels: ever surer, also when wrong")
axes[2].legend(fontsize=8)
fig.suptitle("Clean labels: the loss turns, the accuracy does not. Noisy labels: both do")
plt.show()

# %% [markdown]
# ## Noisy curves
#
# Two kinds of noise are in a validation curve. Training jitters from epoch to epoch: against that helps
# patience. And another validation set would have drawn another curve: against that helps only a larger
# one. We replay the noisy run three hundred times, each with a validation set of a hundred images drawn
# anew, with several patiences. What counts is the loss, on all the others, of the weights that were kept.

# %%
losses, right = runs["noisy"][1]["losses"], runs["noisy"][1]["right"]  # each (n_epochs, 3000)
n_epochs, patiences = len(losses), (1, 2, 4, 8, 16)
replay = {patience: [] for patience in patiences}
for _ in range(300):
    chosen = rng.permutation(3000)
    valid = losses[:, chosen[:100]].mean(axis=1)  # (n_epochs,)
    others = losses[:, chosen[100:]].mean(axis=1)  # (n_epochs,)
    for patience in patiences:
        stop, best = stop_epoch(valid, patience)
        replay[patience].append((stop or n_epochs, others[best - 1]))
replay = {patience: np.mean(rows, axis=0) for patience, rows in replay.items()}
print(f"{'patience':20s}{'epochs paid':>12s}{'loss kept':>12s}")
for patience, (paid, kept) in replay.items():
    print(f"{patience:<20}{paid:12.1f}{kept:12.3f}")
lowest, last = losses.mean(axis=1).min(), losses[-1].mean()
print(f"{'the best epoch':32s}{lowest:12.3f}\n{'no stopping':20s}{n_epochs:12d}{last:12.3f}")
assert replay[1][1] > replay[8][1] + 0.02 and replay[8][0] > replay[1][0] + 5
assert last > replay[8][1] + 0.06

# %% [markdown]
# Impatience is the expensive mistake, and beyond some patience only epochs are spent. For the eye, smooth
# a curve before judging it, with the running average that Adam uses (7.2), and draw the band of one
# standard error (2.8) around it. If two curves' bands overlap, the set is too small to tell them apart
# that way.


# %%
def smooth(curve, keep=0.8):
    """Running average of a curve (n,), corrected for its start at zero: keep of the old, the rest new."""
    average, out = 0.0, []
    for step, value in enumerate(curve, 1):
        average = keep * average + (1 - keep) * value
        out.append(average / (1 - keep**step))
    return np.array(out)


print(smooth([1.0, 1.0, 1.0]).round(12), smooth([0.0, 1.0], keep=0.5).round(3))
np.testing.assert_allclose(smooth([3.0] * 5), 3.0, rtol=1e-12)

# %%
fig, (left, right_ax) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
epochs = np.arange(1, n_epochs + 1)
for part, style, color in ((slice(0, 100), "-", "C0"), (slice(100, 200), "--", "C1")):
    middle = losses[:, part].mean(axis=1)  # (n_epochs,)
    error = losses[:, part].std(axis=1) / np.sqrt(100)  # (n_epochs,)
    left.fill_between(epochs, middle - error, middle + error, color=color, alpha=0.2)
    left.plot(epochs, middle, style, color=color, linewidth=0.8)
    words = f"images {part.start + 1} to {part.stop}"
    left.plot(epochs, smooth(middle), style, color=color, linewidth=2.5, label=words)
left.set(xlabel="epoch", ylabel="validation loss (nats)", title="Two sets draw two curves of one run")
left.legend()
right_ax.plot(patiences, [kept for _, kept in replay.values()], "o-", color="C1", label="weights kept")
right_ax.axhline(lowest, color="0.7", linewidth=0.8, zorder=0)
right_ax.set_xscale("log", base=2)
right_ax.set(
    xticks=patiences, xticklabels=patiences, xlabel="patience (epochs)", ylabel="loss on others (nats)"
)
right_ax.set_title("Impatience costs most (grey: the best epoch)")
plt.show()

# %% [markdown]
# ## What looking costs
#
# Of all epochs we keep the one that looks best *on the validation set*. It is partly there because that
# set happened to like it. So its accuracy there is too good: a prize for luck that the next images do not
# pay. We choose by accuracy, on sets of several sizes, and compare what was promised with what the same
# weights do on all other images.

# %%
sizes, optimism, spread = (25, 50, 100, 200, 400, 800), [], []
right = runs["clean"][1]["right"]  # (n_epochs, 3000)
for size in sizes:
    gaps = []
    for _ in range(300):
        chosen = rng.permutation(3000)
        valid, others = right[:, chosen[:size]].mean(axis=1), right[:, chosen[size:]].mean(axis=1)
        gaps.append((valid[valid.argmax()] - others[valid.argmax()], valid[-1] - others[-1]))
    gaps = np.array(gaps)  # (300, 2): of the chosen epoch, of the last one
    optimism.append(gaps.mean(axis=0))
    spread.append(gaps.std(axis=0) / np.sqrt(300))
optimism, spread = np.array(optimism), np.array(spread)  # each (6, 2)
print(f"{'validation images':20s}{'chosen':>12s}{'last epoch':>12s}")
for size, row in zip(sizes, optimism):
    print(f"{size:<20}{row[0]:+12.3f}{row[1]:+12.3f}")
assert np.all(optimism[:3, 0] > 4 * spread[:3, 0]) and optimism[0, 0] > 2 * optimism[-1, 0]
assert np.all(np.abs(optimism[:, 1]) < 4 * spread[:, 1])

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for column, style, color, name in ((0, "o-", "C1", "epoch chosen on it"), (1, "s--", "C0", "last epoch")):
    ax.errorbar(sizes, optimism[:, column], 2 * spread[:, column], fmt=style, color=color, label=name)
ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set_xscale("log", base=2)
ax.set(xticks=sizes, xticklabels=sizes, xlabel="validation images", ylabel="accuracy promised − kept")
ax.set_title("Choosing on a set makes it too kind, small sets most")
ax.legend()
plt.show()

# %% [markdown]
# Hence three sets: one to learn from, one to choose with, and one to report, which nobody has looked at.
#
# ## A relative of weight decay
#
# Why does stopping help at all? On a quadratic with curvature $\alpha$, gradient descent from zero with
# rate $\eta$ closes the share $\eta\alpha$ of the remaining distance at every step. After $t$ steps it has
# gone the share on the left; weight decay of strength $\lambda$ (8.2) keeps the share on the right:
#
# $$1 - (1 - \eta\alpha)^t \approx 1 - e^{-\eta\alpha t}, \qquad \frac{\alpha}{\alpha + \lambda} .$$
#
# Steep directions are learned, flat ones not yet. With $\lambda = \frac{1}{\eta t}$ both begin as
# $\alpha / \lambda$, and both end at one. Between, they differ. We measure it where 8.2 did: a linear
# model that tells eights from other digits by patches of ink.

# %%
features = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)  # (1797, 64) -> (1797, 16)
features = features - features.mean(axis=0)
targets = (labels == 8) - np.mean(labels == 8)  # (1797,)
hessian = features.T @ features / len(features)  # (16, n) @ (n, 16) -> (16, 16)
pull = features.T @ targets / len(features)  # (16, n) @ (n,) -> (16,)
curvatures, directions = np.linalg.eigh(hessian)  # (16,), (16, 16): eigenvectors in columns
optimum = np.linalg.solve(hessian, pull)  # (16,)

learning_rate, n_steps = 0.1, 400
strength = 1 / (learning_rate * n_steps)
weight = np.zeros(16)
for _ in range(n_steps):
    weight -= learning_rate * (hessian @ weight - pull)  # (16, 16) @ (16,) -> (16,)
decayed = np.linalg.solve(hessian + strength * np.eye(16), pull)  # (16,)
stopped_share, decayed_share = ((directions.T @ w) / (directions.T @ optimum) for w in (weight, decayed))
error = np.abs(stopped_share - (1 - (1 - learning_rate * curvatures) ** n_steps)).max()
print(f"measured against the formula: {error:.1e}")
assert error < 1e-8

# %%
x = np.geomspace(1e-3, 1e3, 601)  # curvature over strength
stopped, decayed = -np.expm1(-x), x / (1 + x)
gap = stopped - decayed
print(f"largest gap {gap.max():.3f}, where the curvature is {x[gap.argmax()]:.1f} times the strength")
small = x < 0.1
assert np.all(np.abs(gap[small]) < x[small] ** 2) and 0.15 < gap.max() < 0.21 and gap.min() > -1e-12

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogx(x, stopped, "-", color="C0", label="stopped after t steps")
ax.semilogx(x, decayed, "--", color="C1", label="weight decay")
ax.semilogx(curvatures / strength, stopped_share, "o", color="0.2", markerfacecolor="none", label="measured")
ax.semilogx(curvatures / strength, decayed_share, "^", color="0.2", markerfacecolor="none")
ax.set(xlabel="curvature α over strength λ = 1 / (ηt)", ylabel="share of the weight that is kept")
ax.set_title("Stopping early is much like weight decay")
ax.legend()
plt.show()

# %% [markdown]
# ## What to remember
#
# - Watch training and validation; stop when validation has not improved for a while; go back to the best
#   weights. Copy them, a `state_dict` only refers.
# - The loss can rise while the accuracy holds: wrong answers given with more and more confidence.
# - Patience is cheap, impatience is not. A larger validation set is the only cure for a lucky one.
# - What was chosen on a set looks too good on it. Report on another.
# - Stopping early leaves flat directions unlearned, much as weight decay does.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Stop on validation accuracy instead of loss. How many more epochs does the clean run take?
# 2. Replay the patiences with validation sets of a thousand. Which one is enough now?
# 3. Turn the annotator's share up to one half. When is the best epoch?
#
# ## Sources
#
# - L. Prechelt, "Early stopping, but when?", in *Neural Networks: Tricks of the Trade*, 1998.
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, section 7.8: stopping and L2.
# - G. Cawley, N. Talbot, "On over-fitting in model selection", *JMLR* 11, 2010: the cost of choosing.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017; E. Alpaydin, C. Kaynak, UCI, 1998: the data.
