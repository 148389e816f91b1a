# %% [markdown]
# # 8.5 Early stopping: keep the best epoch's weights, and know what choosing costs
#
# Bread in the oven gets better for a while and then it burns, and nobody knows the minute beforehand, so
# one looks through the window. Training is similar. For a while a network learns what the images have in
# common, and then it learns the training images by heart. The window is the validation set, and here one
# may even go back to the best moment, if one has kept a copy. This is *early stopping*, and it is
# probably the most widely used regularizer of all, because it costs nothing but a validation set and
# shortens the training.
#
# **You will build** a stopper with patience that keeps the best weights. Then you will find out why the
# loss can rise while the accuracy stays, how much patience is enough, and by how much the number that was
# used for choosing is too good. **You need** validation and its uncertainty (3.4), the training cycle
# (4.4), schedules (7.3) and weight decay (8.2). **It takes** about half a minute.

# %%
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Below are the validation losses of seven epochs. We stop as soon as the last two epochs in a row have not
# been better than the best one before them. This number of epochs, here two, is called the *patience*.
#
# $$\begin{array}{l|ccccccc}
#   \text{epoch} & 1 & 2 & 3 & 4 & 5 & 6 & 7 \\ \hline
#   \text{validation loss} & 0.9 & 0.7 & 0.6 & 0.62 & 0.61 & 0.5 & 0.55 \\
#   \text{best so far} & 0.9 & 0.7 & 0.6 & 0.6 & 0.6 & 0.5 & 0.5 \\
#   \text{epochs without a better one} & 0 & 0 & 0 & 1 & 2 & 0 & 1
# \end{array}$$
#
# With a patience of two we stop after epoch 5 and go back to epoch 3. With a patience of three we would
# have gone on and found the better epoch 6. So patience costs epochs, and it can find a lower loss behind
# a small rise.
#
# ## From scratch: the stopper
#
# The stopper keeps two accounts. For the weights, every lower loss counts, however little lower it is: the
# weights with the lowest loss are kept. For the patience, a loss counts as progress only if it lies more
# than a minimum change below the last loss that counted. A tie is no progress, and neither is a loss that
# is not a number, because each comparison with NaN is false.
#
# A state dict (4.3) refers to the weights themselves, which go on changing, so the stopper has to copy
# them.


# %%
class EarlyStopping:
    """Stops after `patience` epochs without an improvement of more than `min_change`; keeps the best weights.

    `best` and `best_epoch` (from 1) are the lowest value seen and its epoch. Raises ValueError unless
    patience is at least 1 and min_change at least 0.
    """

    def __init__(self, patience, min_change=0.0):
        if not (patience >= 1 and min_change >= 0):
            raise ValueError(f"needs patience >= 1 and min_change >= 0, got {patience} and {min_change}")
        self.patience = patience
        self.min_change = min_change
        self.best = np.inf
        self.best_epoch = None
        self.weights = None
        self.reference = np.inf  # the last value that counted as progress
        self.epoch = 0
        self.waited = 0  # epochs since then

    def update(self, value, model=None):
        """Take the next epoch's value, lower is better; returns True if it is time to stop."""
        self.epoch += 1
        if value < self.best:
            self.best = value
            self.best_epoch = self.epoch
            if model is not None:
                self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if value < self.reference - self.min_change:
            self.reference = value
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, model):
        """Put the best weights back; raises ValueError if none were kept."""
        if self.weights is None:
            raise ValueError("no weights were kept: update was never called with a finite value and a model")
        model.load_state_dict(self.weights)


def stop_epoch(losses, patience, min_change=0.0):
    """(Epoch of the stop or None, best epoch until then) of a fresh stopper on a list of losses."""
    stopper = EarlyStopping(patience, min_change)
    for loss in losses:
        if stopper.update(loss):
            return stopper.epoch, stopper.best_epoch
    return None, stopper.best_epoch


# %% [markdown]
# We try it on the losses of the paper section and on other lists for which the answer is plain. In the
# last list each loss is lower than the one before by less than the minimum change. The training may still
# go on, because every loss is compared with the same reference, so the small steps add up.

# %%
paper_losses = [0.9, 0.7, 0.6, 0.62, 0.61, 0.5, 0.55]
cases = {  # losses, patience, minimum change, expected (stop, best epoch)
    "on paper": (paper_losses, 2, 0.0, (5, 3)),
    "more patience": (paper_losses, 3, 0.0, (None, 6)),
    "ties": ([0.5, 0.5, 0.5], 2, 0.0, (3, 1)),
    "not a number": ([0.5, np.nan, np.nan, 0.4], 2, 0.0, (3, 1)),
    "too little": ([0.5, 0.499, 0.498, 0.497], 3, 0.01, (4, 4)),
    "a slow descent": ([0.5 - 0.006 * step for step in range(9)], 2, 0.01, (None, 9)),
}
for name, (losses, patience, min_change, expected) in cases.items():
    found = stop_epoch(losses, patience, min_change)
    print(f"{name:20s}stops after {found[0]!s:>5s}   lowest at {found[1]}")
    assert found == expected

layer = nn.Linear(3, 2)
stopper = EarlyStopping(patience=2)
for loss in (0.8, 0.3, 0.6):
    nn.init.constant_(layer.weight, loss)  # as if this epoch had led here
    stopper.update(loss, layer)
    if loss == stopper.best:
        reference = layer.state_dict()
print(f"kept by copy {stopper.weights['weight'][0, 0]:.1f}, by reference {reference['weight'][0, 0]:.1f}")
stopper.restore(layer)
assert torch.all(layer.weight == 0.3), "the best epoch's weights come back"

# %% [markdown]
# All stops are where they should be. The copy holds the weights of the best epoch, while the state dict
# itself has followed the layer to the last one.
#
# ## The same in PyTorch
#
# PyTorch itself has no stopper (libraries on top of it have), but its scheduler `ReduceLROnPlateau`
# contains the same counter: it lowers the learning rate when its patience has run out. It allows
# `patience` bad epochs and acts at the next one, so its number has to be one less than ours. On random
# curves its first reduction should then come exactly where our stopper stops.

# %%
n_agree = 0
n_stopped = 0
for _ in range(100):
    random_curve = np.cumsum(rng.normal(loc=-0.3, size=30))
    patience = int(rng.integers(1, 6))
    min_change = float(rng.choice([0.0, 0.3]))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=patience - 1, threshold=min_change, threshold_mode="abs"
    )
    torch_stop = None
    for epoch, loss in enumerate(random_curve, start=1):
        plateau.step(loss)
        if torch_stop is None and optimizer.param_groups[0]["lr"] < 1:
            torch_stop = epoch
    our_stop, _ = stop_epoch(random_curve, patience, min_change)
    n_agree += our_stop == torch_stop
    n_stopped += our_stop is not None
print(f"{n_agree} of 100 curves agree, {n_stopped} of them stopped")
assert n_agree == 100 and n_stopped > 50, "ReduceLROnPlateau counts as our stopper does"

# %% [markdown]
# ## A run to watch
#
# We train on 1,000 images of clothes, with another 1,000 for validation and 2,000 kept back, once with the
# labels as they are and once with one training label in five replaced by a random one, as after careless
# labelling, four seeds each. The stopper, with a patience of five, notes when it would have stopped. We
# train on to the end, because we want to see what it would have spared us. After each epoch we record the
# loss of each of the 3,000 other images, and whether the answer was right.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    pictures = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    kinds = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
N_VALID = 1000
N_SEEDS = 4
PATIENCE = 5


def train_watched(wrong_share, seed, n_epochs=60, learning_rate=2e-3, falling=False):
    """Train on 1,000 images; returns the model, its history, and the stopper with the weights it kept.

    The history is a dict: `train` and `rate`, training loss and learning rate of each epoch; `losses` and
    `correct`, both (n_epochs, 3000), of the other images, of which the first N_VALID are the validation
    set; and `stop`, the epoch (from 1) at which patience ran out, or None.
    falling: whether the learning rate falls to zero along a cosine over the n_epochs.
    """
    torch.manual_seed(seed)
    order = torch.randperm(5000)
    x_train = pictures[order[:1000]]
    y_train = kinds[order[:1000]].clone()
    x_other = pictures[order[1000:4000]]
    y_other = kinds[order[1000:4000]]
    replaced = torch.rand(1000) < wrong_share
    y_train[replaced] = torch.randint(10, (int(replaced.sum()),))
    loader = DataLoader(TensorDataset(x_train, y_train), batch_size=100, shuffle=True)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    stopper = EarlyStopping(PATIENCE)
    history = {"train": [], "rate": [], "losses": [], "correct": [], "stop": None}
    for epoch in range(1, n_epochs + 1):
        model.train()
        total = 0.0
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        history["train"].append(total / len(x_train))
        history["rate"].append(scheduler.get_last_lr()[0])
        if falling:
            scheduler.step()
        model.eval()
        with torch.no_grad():
            logits = model(x_other)  # (3000, 10)
        losses = F.cross_entropy(logits, y_other, reduction="none").numpy()  # (3000,)
        history["losses"].append(losses)
        history["correct"].append((logits.argmax(dim=1) == y_other).numpy())
        if history["stop"] is None and stopper.update(losses[:N_VALID].mean(), model):
            history["stop"] = epoch
    history["losses"] = np.reshape(history["losses"], (n_epochs, 3000))  # also for no epoch
    history["correct"] = np.reshape(history["correct"], (n_epochs, 3000))
    return model, history, stopper


# %%
runs = {}
print(f"{'':28s}{'loss':>9s}{'':8s}{'accuracy':>10s}")
print(f"{'labels':10s}{'seed':>6s}{'best':>6s}{'stop':>6s}{'best':>9s}{'end':>8s}{'best':>10s}{'end':>8s}")
for name, wrong_share in (("clean", 0.0), ("careless", 0.2)):
    for seed in range(N_SEEDS):
        runs[name, seed] = train_watched(wrong_share, seed)
        _, history, stopper = runs[name, seed]
        loss = history["losses"][:, N_VALID:].mean(axis=1)  # (n_epochs,): images kept back
        accuracy = history["correct"][:, N_VALID:].mean(axis=1)  # (n_epochs,)
        best = stopper.best_epoch - 1
        print(
            f"{name:10s}{seed:6d}{best + 1:6d}{history['stop']:6d}{loss[best]:9.3f}{loss[-1]:8.3f}"
            f"{accuracy[best]:10.3f}{accuracy[-1]:8.3f}"
        )

# %% [markdown]
# Losses and accuracies are those of the 2,000 images kept back, and "best" is the epoch that validation
# chose. In each run the loss at the end is well above the loss at the best epoch. With careless labels the
# accuracy has fallen as well, by several points, while with clean labels it has hardly changed.
#
# ## Why the loss can rise alone
#
# How can the loss rise if the accuracy stays? The loss counts how sure the network was of the right class,
# and the accuracy only whether that class came first. So we split the images kept back, at each epoch,
# into those that are answered rightly and those that are answered wrongly, and take the mean loss of each
# part, for clean labels.

# %%
SHOWN_SEED = 0
n_epochs = len(runs["clean", SHOWN_SEED][1]["losses"])
epochs = np.arange(1, n_epochs + 1)


def loss_by_answer(history):
    """Mean loss (n_epochs,) of the rightly and of the wrongly answered images among those kept back."""
    losses = history["losses"][:, N_VALID:]
    correct = history["correct"][:, N_VALID:]
    right = np.array([row[mask].mean() for row, mask in zip(losses, correct)])
    wrong = np.array([row[~mask].mean() for row, mask in zip(losses, correct)])
    return right, wrong


fig, axs = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, name in zip(axs, ("clean", "careless")):
    _, history, stopper = runs[name, SHOWN_SEED]
    valid_loss = history["losses"][:, :N_VALID].mean(axis=1)  # (n_epochs,)
    valid_accuracy = history["correct"][:, :N_VALID].mean(axis=1)  # (n_epochs,)
    ax.plot(epochs, history["train"], "-", color="C0", label="training loss")
    ax.plot(epochs, valid_loss, "--", color="C1", label="validation loss")
    ax.plot(epochs, valid_accuracy, ":", color="C2", label="validation accuracy")
    ax.plot(stopper.best_epoch, stopper.best, "o", color="0.2", fillstyle="none", label="weights kept")
    if history["stop"] is not None:
        ax.axvline(history["stop"], color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="epoch", ylim=(0, None), title=f"{name} labels, seed {SHOWN_SEED} (grey: stop)")
axs[0].set_ylabel("loss (nats), accuracy")
axs[0].legend(fontsize=8)
right_answers, wrong_answers = loss_by_answer(runs["clean", SHOWN_SEED][1])
axs[2].plot(epochs, right_answers, "-", color="C0", label="answered rightly")
axs[2].plot(epochs, wrong_answers, "--", color="C1", label="answered wrongly")
axs[2].set(
    xlabel="epoch",
    ylabel="mean loss (nats)",
    ylim=(0, None),
    title=f"clean labels, seed {SHOWN_SEED}, images kept back",
)
axs[2].legend(fontsize=8)
plt.show()

# %% [markdown]
# In both panels on the left the training loss keeps falling while the validation loss turns, and the grey
# line shows where the patience ran out. In the right panel the loss of the rightly answered images goes
# on falling, and the loss of the wrongly answered ones rises, on the other three seeds as well. The
# network becomes surer of everything, also where it is wrong, and the few wrong answers cost so much that
# the mean rises. So if probabilities matter (3.4), stop by the loss. If only the answers matter, the
# accuracy may be watched as well, but it moves in coarse steps.
#
# ## How much patience?
#
# A validation curve is noisy, because the training jitters and because the set is small, so a rise may be
# an accident. What does a small patience cost? We replay the four runs with careless labels, each with 100
# validation sets of only 100 images, drawn from the 3,000 others, and with several patiences. For each we
# take the loss of the kept weights on all images that were not drawn.

# %%
PATIENCES = (1, 2, 4, 8, 16)
N_DRAWN = 100
epochs_paid = {patience: [] for patience in PATIENCES}
losses_kept = {patience: [] for patience in PATIENCES}
for seed in range(N_SEEDS):
    losses = runs["careless", seed][1]["losses"]  # (n_epochs, 3000)
    for _ in range(100):
        drawn = rng.permutation(3000)
        valid = losses[:, drawn[:N_DRAWN]].mean(axis=1)  # (n_epochs,)
        others = losses[:, drawn[N_DRAWN:]].mean(axis=1)  # (n_epochs,)
        for patience in PATIENCES:
            stop, best = stop_epoch(valid, patience)
            epochs_paid[patience].append(stop or n_epochs)  # all of them if it never stops
            losses_kept[patience].append(others[best - 1])
mean_curves = np.array([runs["careless", seed][1]["losses"].mean(axis=1) for seed in range(N_SEEDS)])
print(f"{'patience':20s}{'epochs paid':>12s}{'loss kept':>12s}")
for patience in PATIENCES:
    print(f"{patience:<20d}{np.mean(epochs_paid[patience]):12.1f}{np.mean(losses_kept[patience]):12.3f}")
print(f"{'best epoch of all':20s}{'':12s}{mean_curves.min(axis=1).mean():12.3f}")
print(f"{'no stopping':20s}{n_epochs:12d}{mean_curves[:, -1].mean():12.3f}")

# %% [markdown]
# With a patience of one the training stops at the first accidental rise, and the weights it keeps are
# worse than those of the best epoch. More patience helps at first, and beyond some point it only costs
# epochs. Since the best weights are kept, too much patience spoils hardly anything. For curves as noisy as
# these, 8 epochs are enough.
#
# ## What choosing costs
#
# Of all epochs we keep the one that looks best on the validation set, and it looks best partly because
# this set happens to suit it. So its accuracy there should be too good to be true. By how much? We choose
# the epoch by accuracy on validation sets of several sizes, and subtract from the accuracy on the set the
# accuracy of the same weights on all other images. As a control we do the same for the last epoch, which
# nobody has chosen.

# %%
SIZES = (25, 50, 100, 200, 400, 800)
promised_too_much = {"chosen epoch": [], "last epoch": []}
for size in SIZES:
    gaps = {"chosen epoch": [], "last epoch": []}
    for seed in range(N_SEEDS):
        correct = runs["clean", seed][1]["correct"]  # (n_epochs, 3000)
        for _ in range(100):
            drawn = rng.permutation(3000)
            valid = correct[:, drawn[:size]].mean(axis=1)  # (n_epochs,)
            others = correct[:, drawn[size:]].mean(axis=1)  # (n_epochs,)
            gaps["chosen epoch"].append(valid.max() - others[valid.argmax()])
            gaps["last epoch"].append(valid[-1] - others[-1])
    for name, values in gaps.items():
        promised_too_much[name].append(np.mean(values))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, values), style in zip(promised_too_much.items(), ("o-", "s--")):
    ax.plot(SIZES, values, style, label=name)
    print(f"{name:16s}" + "".join(f"{value:+9.3f}" for value in values))
ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set_xscale("log", base=2)
ax.set(
    xticks=SIZES, xticklabels=SIZES, xlabel="validation images", ylabel="accuracy, validation minus others"
)
ax.set_title("How much better a validation set looks than other images")
ax.legend()
plt.show()

# %% [markdown]
# For the chosen epoch a validation set of 25 images promises several points too much, and one of 800
# images still about one. For the last epoch the differences scatter around zero. So it is the choosing
# that makes the number too good, and not the set itself. This is why there are three sets: one to learn
# from, one to choose with, and one for the report that nobody has chosen with (3.1). And if data is too
# scarce for three, cross-validation (3.4) chooses on all of it in turn.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
accuracy_changes = {"clean": [], "careless": []}
for (name, _), (_, history, stopper) in runs.items():
    loss = history["losses"][:, N_VALID:].mean(axis=1)
    accuracy = history["correct"][:, N_VALID:].mean(axis=1)
    best = stopper.best_epoch - 1
    assert history["stop"] == stopper.best_epoch + PATIENCE < n_epochs, "patience runs out in each run"
    assert loss[-1] > loss[best] + 0.05, "in each run the loss at the end is well above the best epoch's"
    accuracy_changes[name].append(accuracy[-1] - accuracy[best])
assert max(accuracy_changes["careless"]) < -0.02, "with careless labels the accuracy falls by several points"
assert np.abs(np.mean(accuracy_changes["clean"])) < 0.015, "with clean labels it hardly changes"
for seed in range(N_SEEDS):
    right_answers, wrong_answers = loss_by_answer(runs["clean", seed][1])
    best = runs["clean", seed][2].best_epoch - 1
    assert right_answers[-1] < right_answers[best], "right answers cost less and less"
    assert wrong_answers[-1] > 1.2 * wrong_answers[best], "wrong answers cost more and more"
kept = {patience: np.mean(values) for patience, values in losses_kept.items()}
assert kept[1] > kept[8] + 0.02, "a patience of one keeps worse weights"
assert abs(kept[16] - kept[8]) < 0.01, "beyond 8, more patience changes little"
assert np.mean(epochs_paid[16]) > np.mean(epochs_paid[8]) + 5, "and it costs several epochs more"
chosen_gaps = promised_too_much["chosen epoch"]
assert chosen_gaps[0] > 0.03, "25 images promise several points too much"
assert np.all(np.diff(chosen_gaps) < 0), "the larger the set, the less it is too kind"
assert np.abs(promised_too_much["last epoch"]).max() < 0.015, "for the last epoch the set is not too kind"

# %% [markdown]
# ## Going further
#
# This can be skipped. It writes a run into a file, asks how stopping goes together with a schedule (the
# recipe of lesson 8.7 needs that) and how two validation curves are compared, and why stopping helps.
#
# ### A log in a file
#
# What should one write down while a network trains? At least the epoch, the training loss, the validation
# loss and the learning rate, in a file and at once, so that nothing is lost if the run breaks off at
# night. A CSV file that any program can plot is enough to start with. (Trackers such as TensorBoard,
# MLflow or Weights & Biases do the same for many runs and show the curves in a browser.) We write one of
# the runs down, epoch by epoch, as if it had broken off after epoch 20. What is in the file then?


# %%
class CsvLog:
    """One line per epoch in a CSV file, written at once; the columns are "epoch" and those given."""

    def __init__(self, path, columns):
        self.path = Path(path)
        self.columns = tuple(columns)
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(("epoch", *self.columns))

    def add(self, epoch, **values):
        """Write one epoch's line; raises ValueError unless there is exactly one value for each column."""
        if set(values) != set(self.columns):
            raise ValueError(f"expected values for {self.columns}, got {tuple(values)}")
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow((epoch, *(float(values[name]) for name in self.columns)))


def read_log(path):
    """The columns of a `CsvLog` file as a dict of arrays (n_epochs,)."""
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    table = np.array(rows, dtype=float).reshape(-1, len(header))  # (n_epochs, 1 + columns)
    return dict(zip(header, table.T, strict=True))


with tempfile.TemporaryDirectory() as folder:
    log = CsvLog(Path(folder) / "log.csv", ("train", "valid", "rate"))
    history = runs["careless", SHOWN_SEED][1]
    for i in range(20):  # in a project this line stands at the end of the training loop
        valid = history["losses"][i, :N_VALID].mean()
        log.add(i + 1, train=history["train"][i], valid=valid, rate=history["rate"][i])
    logged = read_log(log.path)
print(f"{len(logged['epoch'])} epochs in the file; the last one: ", end="")
print(", ".join(f"{name} {column[-1]:g}" for name, column in logged.items()))

# %% [markdown]
# All 20 epochs are there, since each line is written as soon as its epoch is over.
#
# ### Stopping and a schedule
#
# A cosine schedule (7.3) is planned for a number of epochs, and its low rates at the end are a part of the
# plan. If a stopper cuts such a run in the middle, the low rates never come. We train with careless labels
# and a cosine over 60 epochs, and with one over 12 epochs, and compare with the constant rate from above.

# %%
SHORT = 12
schedule_runs = {("constant rate", seed): runs["careless", seed] for seed in range(N_SEEDS)}
for seed in range(N_SEEDS):
    for name, length in (("cosine over 60", 60), (f"cosine over {SHORT}", SHORT)):
        schedule_runs[name, seed] = train_watched(0.2, seed, n_epochs=length, falling=True)
schedule_table = {}
print(f"{'':24s}{'loss, best epoch':>18s}{'loss, last':>12s}{'accuracy, best':>16s}{'accuracy, last':>16s}")
for name in ("constant rate", "cosine over 60", f"cosine over {SHORT}"):
    rows = []
    for seed in range(N_SEEDS):
        _, history, stopper = schedule_runs[name, seed]
        loss = history["losses"][:, N_VALID:].mean(axis=1)
        accuracy = history["correct"][:, N_VALID:].mean(axis=1)
        best = stopper.best_epoch - 1
        rows.append((loss[best], loss[-1], accuracy[best], accuracy[-1]))
    schedule_table[name] = np.array(rows)  # (N_SEEDS, 4)
    means = schedule_table[name].mean(axis=0)
    print(f"{name:24s}{means[0]:18.3f}{means[1]:12.3f}{means[2]:16.3f}{means[3]:16.3f}")

# %% [markdown]
# At its best epoch the long cosine is about as good as the constant rate, presumably because its rate has
# hardly fallen until then. The difference comes later. With the constant rate the last epoch is much worse
# than the best one, and with the cosine only a little, presumably because small steps learn less by
# heart. So with a schedule that falls there is less for a stopper to gain, and a run may go on to its
# planned end. It does not work to take the length from the best epoch of a run at a constant rate:
# squeezed into 12 epochs, the run ends with a higher loss.
#
# ### Is one curve lower than the other?
#
# Two curves on one validation set are compared by their difference, image by image, because both networks
# saw the same images (3.4, 7.7). On the left are the losses of the two runs over 60 epochs with their 95 %
# intervals, for the same seed. On the right is the mean difference with its interval.

# %%
constant = runs["careless", SHOWN_SEED][1]["losses"][:, :N_VALID]  # (n_epochs, N_VALID)
cosine = schedule_runs["cosine over 60", SHOWN_SEED][1]["losses"][:, :N_VALID]  # (n_epochs, N_VALID)


def interval(values):
    """Mean and half width of a 95 % interval, over the last axis."""
    return values.mean(axis=-1), 1.96 * values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, values, style in (("constant rate", constant, "-"), ("cosine", cosine, "--")):
    middle, half = interval(values)
    (line,) = left.plot(epochs, middle, style, label=name)
    left.fill_between(epochs, middle - half, middle + half, color=line.get_color(), alpha=0.2)
left.set(xlabel="epoch", ylabel="validation loss (nats)", title="Two runs, 95 % intervals")
left.legend()
difference, half_difference = interval(constant - cosine)
right.plot(epochs, difference, color="C2")
right.fill_between(epochs, difference - half_difference, difference + half_difference, color="C2", alpha=0.2)
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="epoch", ylabel="difference (nats)", title="Constant minus cosine, 95 % interval")
plt.show()

constant_mean, constant_half = interval(constant)
cosine_mean, cosine_half = interval(cosine)
overlap = np.abs(constant_mean - cosine_mean) < constant_half + cosine_half  # (n_epochs,) booleans
clear = np.abs(difference) > half_difference
print(f"epochs at which the two bands overlap although the difference is clear: {np.sum(overlap & clear)}")

# %% [markdown]
# On the left the two bands overlap at nearly all epochs, and one might think that 1,000 images cannot
# tell the two runs apart. On the right the interval of the difference is much narrower, because both
# networks find the same images hard, and in the last epochs it lies above zero. So compare curves by the
# band of their difference. (It tells about these two networks and other images. Whether cosine is better
# in general is a question for several seeds.)
#
# ### A relative of weight decay
#
# Why does stopping help? On a quadratic (2.6) with curvature $\alpha$, gradient descent from zero with
# rate $\eta$ covers in each step the share $\eta\alpha$ of the distance that remains. After $t$ steps it
# has covered the share on the left. Weight decay of strength $\lambda$ (8.2) keeps the share on the
# right:
#
# $$1 - (1 - \eta\alpha)^t \approx 1 - e^{-\eta\alpha t}, \qquad \frac{\alpha}{\alpha + \lambda} .$$
#
# With $\lambda = 1/(\eta t)$ both begin like $\alpha/\lambda$ and end at one. We measure both shares for
# a linear model that tells eights from other digits by sixteen patches of ink.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
patches = (digits[:, :64] / 16).reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)  # (1797, 16)
patches = patches - patches.mean(axis=0)
is_eight = digits[:, 64] == 8
targets = is_eight - is_eight.mean()  # (1797,)
hessian = patches.T @ patches / len(patches)  # (16, n) @ (n, 16) -> (16, 16)
pull = patches.T @ targets / len(patches)  # (16, n) @ (n,) -> (16,)
curvatures, directions = np.linalg.eigh(hessian)  # (16,), (16, 16): eigenvectors in columns
optimum = np.linalg.solve(hessian, pull)  # (16,)

DESCENT_RATE = 0.1
N_STEPS = 400
strength = 1 / (DESCENT_RATE * N_STEPS)
stopped = np.zeros(16)
for _ in range(N_STEPS):
    stopped = stopped - DESCENT_RATE * (hessian @ stopped - pull)  # (16, 16) @ (16,) -> (16,)
decayed = np.linalg.solve(hessian + strength * np.eye(16), pull)  # (16,)
stopped_share = (directions.T @ stopped) / (directions.T @ optimum)  # (16,)
decayed_share = (directions.T @ decayed) / (directions.T @ optimum)  # (16,)
np.testing.assert_allclose(stopped_share, 1 - (1 - DESCENT_RATE * curvatures) ** N_STEPS, atol=1e-8)
np.testing.assert_allclose(decayed_share, curvatures / (curvatures + strength), atol=1e-8)

ratio = np.geomspace(1e-3, 1e3, 601)  # curvature over strength
stopping_formula = -np.expm1(-ratio)
decay_formula = ratio / (1 + ratio)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogx(ratio, stopping_formula, "-", color="C0", label="stopped after t steps, formula")
ax.semilogx(ratio, decay_formula, "--", color="C1", label="weight decay, formula")
ax.semilogx(
    curvatures / strength, stopped_share, "o", color="0.2", fillstyle="none", label="stopped, measured"
)
ax.semilogx(curvatures / strength, decayed_share, "^", color="0.2", fillstyle="none", label="decay, measured")
ax.set(xlabel="curvature α over strength λ = 1 / (ηt)", ylabel="share of the weight that is kept")
ax.set_title("What stopping and weight decay leave of a weight")
ax.legend()
plt.show()

# %% [markdown]
# Both keep what is learned along steep directions, where the data says much, and hold back what would be
# learned along flat ones. The two curves are never further apart than about a fifth. For a network this is
# only an analogy, because its loss is no quadratic.

# %%
assert logged["epoch"].tolist() == list(range(1, 21)), "the file holds every epoch that was written"
constant_table = schedule_table["constant rate"]  # (N_SEEDS, 4)
cosine_table = schedule_table["cosine over 60"]  # (N_SEEDS, 4)
assert abs((cosine_table[:, 0] - constant_table[:, 0]).mean()) < 0.03, "at their best, both are about alike"
assert np.min(constant_table[:, 1] - constant_table[:, 0]) > 0.08, "a constant rate: the last is much worse"
assert np.max(cosine_table[:, 1] - cosine_table[:, 0]) < 0.05, "a cosine: the last is only a little worse"
assert schedule_table[f"cosine over {SHORT}"][:, 1].mean() > cosine_table[:, 1].mean() + 0.03, (
    "squeezed into 12 epochs, the run ends with a higher loss"
)
assert np.sum(overlap & clear) > 20, "the bands overlap at epochs where the difference is clear"
assert (difference - half_difference)[-10:].min() > 0, "in the last epochs the difference lies above zero"
assert 0.15 < np.abs(stopping_formula - decay_formula).max() < 0.21, "the shares differ by a fifth at most"

# %% [markdown]
# ## What to remember
#
# - Watch the validation loss, stop when it has not improved for some epochs, and go back to the best
#   weights. Copy them, because a state dict only refers to them.
# - The loss can rise while the accuracy stays, because wrong answers are given with more and more
#   certainty.
# - Too little patience loses something, and too much costs only epochs.
# - A number that was used for choosing is too good. Report on images with which nothing was chosen.
# - With a rate that falls to zero the last epoch is nearly as good as the best one, so there is less to
#   stop for.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Replay the patiences with validation sets of 1,000 images: set `N_DRAWN = 1000`. Which patience is
#    enough now? Read the table of patiences.
# 2. Replace half of the labels: in the cell that trains, change `("careless", 0.2)` to `("careless",
#    0.5)`. There is more to learn by heart then. Does the best epoch come earlier or later? Read the
#    first table.
# 3. From a blank cell at the end of the file: choose the epoch of `runs["clean", 0]` by validation
#    _accuracy_, from the first N_VALID columns of its `correct`. After what this lesson says about loss
#    and accuracy, does it come earlier or later? Compare with `runs["clean", 0][2].best_epoch`.
#
# ## Sources
#
# - L. Prechelt, "Early stopping - but when?", in _Neural Networks: Tricks of the Trade_, 1998.
#   Reproduced: "a patience of one keeps worse weights".
# - I. Goodfellow, Y. Bengio, A. Courville, _Deep Learning_, 2016, section 7.8: stopping and L2.
#   Reproduced: "the shares differ by a fifth at most".
# - G. Cawley, N. Talbot, "On over-fitting in model selection", _JMLR_ 11, 2010: the cost of choosing.
#   Reproduced: "the larger the set, the less it is too kind".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017; E. Alpaydin, C. Kaynak, _Optical recognition of
#   handwritten digits_, UCI, 1998: the data.
