# %% [markdown]
# # 4.4 A training cycle: from a folder of pictures to one honest number
#
# A kitchen that serves every day is more than a recipe. Somebody fetches ingredients in the right
# portions, somebody tastes before the guest does, and the recipe is written down, so that work can go on
# after a power cut. Training has the same helpers: loaders, validation, checkpoints. None is deep, and
# each has a way to spoil the dish.
#
# **You will build** a dataset, a loader, the two loops, the metrics and checkpoints that resume exactly,
# and train a classifier of clothes that is tested once. **You need** train, validation and test sets
# (3.1), metrics (3.4) and modules (4.3).

# %%
import itertools
import pickle
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# Four garments with the labels 0, 0, 1, 2 are called 0, 1, 1, 2. A *confusion matrix* counts them: the
# row is the truth, the column the answer. Its diagonal holds what is right, so the *accuracy* is $3/4$.
# The *recall* of a class is the right share of its row: $1/2$ for class 0, and one for the others.

# %%
labels, predictions = [0, 0, 1, 2], [0, 1, 1, 2]
counts = np.zeros((3, 3), dtype=int)
for label, prediction in zip(labels, predictions):
    counts[label, prediction] += 1
print(
    counts, "  accuracy", counts.trace() / counts.sum(), "  recalls", counts.diagonal() / counts.sum(axis=1)
)
assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]

# %% [markdown]
# ## The ingredients
#
# Fashion-MNIST: five thousand pictures to learn from, a thousand for the test. Of the five thousand, the
# last thousand become the *validation* set: every choice, of epoch, learning rate or model, is made on
# it. The test set is opened once, at the end.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
n_train = 4000

# %% [markdown]
# A `Dataset` answers two questions: how many examples, and which is number $i$. It is the place for
# *transforms*, what is done to an example on its way out. Ours standardises: mean zero and spread one,
# both measured on the training pictures only.


# %%
class Pictures(Dataset):
    """(transformed image, label) pairs; images: (n, 28, 28), labels: (n,).

    Raises ValueError where the counts differ.
    """

    def __init__(self, images, labels, transform):
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images but {len(labels)} labels")
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index]), int(self.labels[index])


mean, spread = train_images[:n_train].mean(), train_images[:n_train].std()


def standardize(images):
    """Images in units of the training pictures' spread, around their mean."""
    return (images - mean) / spread


dataset = Pictures(train_images[:n_train], train_labels[:n_train], standardize)
image, label = dataset[0]
print(f"{len(dataset)} examples; the first: {tuple(image.shape)}, {CLASSES[label]}, mean {image.mean():.2f}")

# %% [markdown]
# ## A loader in fifteen lines
#
# A *sampler* says in which order the examples come. The loader fetches them one by one, and *collates* a
# list of pairs into a pair of tensors. The last batch may be smaller. A shuffling sampler draws a new
# order each time it is asked, from a generator of its own.


# %%
class Shuffle:
    """The numbers 0 to n - 1 in a new random order each time it is iterated."""

    def __init__(self, n, generator):
        self.n, self.generator = n, generator

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(torch.randperm(self.n, generator=self.generator).tolist())


def collate(examples):
    """A list of (image, label) as (images, labels) of shapes (B, ...) and (B,)."""
    images, labels = zip(*examples, strict=True)
    return torch.stack(images), torch.tensor(labels)


class Loader:
    """Batches of `dataset` in the order of `sampler`; the last may be smaller."""

    def __init__(self, dataset, batch_size, sampler):
        self.dataset, self.batch_size, self.sampler = dataset, batch_size, sampler

    def __len__(self):
        return -(-len(self.sampler) // self.batch_size)  # rounded up

    def __iter__(self):
        indices = iter(self.sampler)
        while chosen := list(itertools.islice(indices, self.batch_size)):
            yield collate([self.dataset[index] for index in chosen])


# %% [markdown]
# The library's `DataLoader` does the same, and more: worker processes, pinned memory (4.5). Given the same
# sampler it yields the same batches, bit for bit.

# %%
batch_size = 50
ours = Loader(dataset, batch_size, Shuffle(len(dataset), torch.Generator().manual_seed(0)))
theirs = DataLoader(dataset, batch_size, sampler=Shuffle(len(dataset), torch.Generator().manual_seed(0)))
for (x, y), (torch_x, torch_y) in zip(ours, theirs, strict=True):
    assert torch.equal(x, torch_x) and torch.equal(y, torch_y)
print(f"{len(ours)} batches, equal in both; the last: {tuple(x.shape)} {x.dtype}, {tuple(y.shape)} {y.dtype}")
assert len(ours) == len(theirs) == n_train // batch_size

# %% [markdown]
# ## What does a loader cost?
#
# Fetching one example takes a few Python calls, whatever the example. Where all data fits in memory,
# indexing whole tensors takes a batch at once: the transform is done beforehand, once. A loader by
# examples pays where examples are read from disk, decoded, or changed at random. Times are medians of
# interleaved rounds.


# %%
class TensorBatches:
    """Batches of whole tensors, in a new order each epoch if there is a generator, else as stored.

    images: (n, ...), labels: (n,). Raises ValueError where the counts differ.
    """

    def __init__(self, images, labels, batch_size, generator=None):
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images but {len(labels)} labels")
        self.images, self.labels, self.batch_size, self.generator = images, labels, batch_size, generator

    def __iter__(self):
        n = len(self.labels)
        order = torch.arange(n) if self.generator is None else torch.randperm(n, generator=self.generator)
        for chosen in order.split(self.batch_size):
            yield self.images[chosen], self.labels[chosen]


whole = TensorBatches(*collate(list(dataset)), batch_size, torch.Generator().manual_seed(0))
ours = Loader(dataset, batch_size, Shuffle(len(dataset), torch.Generator().manual_seed(0)))
for (x, y), (whole_x, whole_y) in zip(ours, whole):
    assert torch.equal(x, whole_x) and torch.equal(y, whole_y)

loaders, times = {"own loader": ours, "DataLoader": theirs, "whole tensors": whole}, {}
for name in [*loaders] * 3:
    started = time.perf_counter()
    n_seen = sum(len(y) for _, y in loaders[name])
    times.setdefault(name, []).append(time.perf_counter() - started)
    assert n_seen == n_train
for name, seconds in times.items():
    print(f"{name:20s}{1e6 * statistics.median(seconds) / n_train:8.2f} microseconds an example")

# %% [markdown]
# ## What does shuffling do?
#
# Suppose the pictures lay in the folder sorted by class, as they often do. Without shuffling, each batch
# shows one class, and the model learns to say only that. We train the same linear model for one epoch in
# either order. For that we need the loops.
#
# First the counting of the paper example. Row and column make one number,
# $10 \cdot \text{row} + \text{column}$ for ten classes, and `bincount` counts those. A label outside the
# range would be counted in the wrong cell, so it is refused.


# %%
def confusion_matrix(labels, predictions, n_classes):
    """Counts of shape (n_classes, n_classes): row the label, column the prediction.

    Raises ValueError where shapes differ, or a label or prediction is not in 0 ... n_classes - 1.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, predictions {tuple(predictions.shape)}")
    for name, values in (("label", labels), ("prediction", predictions)):
        if len(values) and not 0 <= values.min() <= values.max() < n_classes:
            raise ValueError(f"a {name} lies outside 0 to {n_classes - 1}")
    cells = torch.bincount(labels * n_classes + predictions, minlength=n_classes**2)  # (n_classes²,)
    return cells.reshape(n_classes, n_classes)  # (n_classes²,) -> (n_classes, n_classes)


# %% [markdown]
# `train_epoch` is the four lines of lesson 3.3 around a loader. `evaluate` switches to `eval`, records
# nothing, and counts.


# %%
def train_epoch(model, optimizer, batches):
    """One pass of gradient descent over `batches`; returns the mean loss an example, each before its step."""
    model.train()
    total, n_seen = 0.0, 0
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, n_seen = total + loss.item() * len(y), n_seen + len(y)
    return total / n_seen


@torch.no_grad()
def evaluate(model, batches, n_classes=10):
    """Mean loss an example and confusion matrix of `model` over `batches`."""
    model.eval()
    total, confusion = 0.0, torch.zeros(n_classes, n_classes, dtype=torch.int64)
    for x, y in batches:
        scores = model(x)
        total += F.cross_entropy(scores, y, reduction="sum").item()
        confusion += confusion_matrix(y, scores.argmax(dim=1), n_classes)
    return total / confusion.sum().item(), confusion


def accuracy(confusion):
    """Right answers as a share of all."""
    return (confusion.trace() / confusion.sum()).item()


def recalls(confusion):
    """Right answers as a share of each class; NaN for a class that did not occur."""
    return confusion.diagonal() / confusion.sum(dim=1)


counted = confusion_matrix(torch.tensor(labels), torch.tensor(predictions), 3)
assert counted.tolist() == counts.tolist() and accuracy(counted) == 0.75
assert recalls(counted).tolist() == [0.5, 1, 1]

# %% [markdown]
# Now the two orders. Standardised pictures for training and validation, a linear model each, the same
# start.

# %%
train_set = standardize(train_images[:n_train]), train_labels[:n_train]  # (4000, 28, 28) and (4000,)
validation = TensorBatches(standardize(train_images[n_train:]), train_labels[n_train:], batch_size=500)
by_class = train_set[1].argsort(stable=True)  # (4000,)
orders = {
    "sorted": TensorBatches(train_set[0][by_class], train_set[1][by_class], batch_size),
    "shuffled": TensorBatches(*train_set, batch_size, torch.Generator().manual_seed(0)),
}
seen, order_recalls = {}, {}
for name, batches in orders.items():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    seen[name] = torch.stack([F.one_hot(y, 10).sum(dim=0) for _, y in batches])  # (80, 10): batch, class
    train_epoch(model, torch.optim.SGD(model.parameters(), lr=0.03), batches)
    confusion = evaluate(model, validation)[1]
    order_recalls[name] = recalls(confusion)
    never = (confusion.sum(dim=0) == 0).sum().item()
    print(f"{name:20s}accuracy {accuracy(confusion):.3f}   classes never answered: {never}")
print("recalls, sorted: " + ", ".join(f"{recall:.2f}" for recall in order_recalls["sorted"].tolist()))
assert (order_recalls["sorted"] < 0.5).sum() > 5 and order_recalls["sorted"][-1] > 0.9
assert order_recalls["sorted"].mean() < 0.5 < 0.7 < order_recalls["shuffled"].mean()

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, name in zip(axes, orders):
    picture = ax.imshow(seen[name].T.numpy(), aspect="auto", cmap="viridis", vmax=batch_size // 2)
    ax.set(xlabel="batch", title=f"{name}: mean recall {order_recalls[name].mean():.2f}")
axes[0].set_yticks(range(10), CLASSES)
fig.colorbar(picture, ax=axes, label="examples of the class in the batch", extend="max")
fig.suptitle("Sorted batches show one class at a time, and most are forgotten again")
plt.show()

# %% [markdown]
# ## A checkpoint is everything that the next step depends on
#
# Not only the weights: the optimizer may carry a memory (momentum, lesson 7.2), the generator decides
# which pictures come next, and the epoch when to stop. The history is kept for the choice of the best. It
# is written under another name first and then renamed, so that a power cut leaves the old checkpoint
# whole.


# %%
KEYS = {"model", "optimizer", "epoch", "generator", "history"}


def save_checkpoint(path, model, optimizer, epoch, generator, history):
    """Write all that training depends on after `epoch` epochs to `path`, replacing it in one step."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": epoch,
        "generator": generator.get_state(),
        "history": history,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_checkpoint(path):
    """The dict that `save_checkpoint` wrote; raises ValueError on any other file."""
    damaged = f"{path.name} is damaged, or was not written by torch.save"
    if not zipfile.is_zipfile(path):  # the table of contents is at the end: a file cut short has none
        raise ValueError(damaged)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(damaged) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path.name} is no checkpoint of ours: it holds a {type(state).__name__}")
    if missing := KEYS - state.keys():
        raise ValueError(f"{path.name} is no checkpoint of ours: it lacks {sorted(missing)}")
    return state


# %% [markdown]
# Restoring fills the objects that a new start has made. Model and optimizer check the names themselves.


# %%
def restore(path, model, optimizer, generator):
    """Put a checkpoint's state into the three; returns its epoch and history."""
    state = load_checkpoint(path)
    model.load_state_dict(state["model"])  # names and shapes are checked here
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    return state["epoch"], state["history"]


# %% [markdown]
# `fit` ties the loops together: train, validate, keep the last state, and keep the best, judged on the
# validation set.


# %%
def fit(model, optimizer, batches, validation, n_epochs, path, resume=False):
    """Train to `n_epochs`, with a checkpoint at `path` after each and the best weights in best.pt beside it.

    Returns the history: [training loss, validation loss, validation accuracy] of each epoch.
    """
    first, history = restore(path, model, optimizer, batches.generator) if resume else (0, [])
    for epoch in range(first, n_epochs):
        train_loss = train_epoch(model, optimizer, batches)
        valid_loss, confusion = evaluate(model, validation)
        best = max((row[2] for row in history), default=-1.0)
        history.append([train_loss, valid_loss, accuracy(confusion)])
        if history[-1][2] > best:  # before the checkpoint: after a power cut here, the epoch is run again
            torch.save(model.state_dict(), path.with_name("best.pt"))
        save_checkpoint(path, model, optimizer, epoch + 1, batches.generator, history)
    return history


def start(kind, seed):
    """A fresh model ("linear" or "hidden layer"), its optimizer and batches; the seed decides it all."""
    torch.manual_seed(seed)
    hidden = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)]
    model = nn.Sequential(nn.Flatten(), *(hidden if kind == "hidden layer" else [nn.Linear(784, 10)]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1 if kind == "hidden layer" else 0.03)
    return model, optimizer, TensorBatches(*train_set, batch_size, torch.Generator().manual_seed(seed))


# %% [markdown]
# ## Interrupted and resumed
#
# Training in one go; then half of it, a power cut, and a new start from the file, with new objects and
# another seed. On the CPU the two must agree exactly: the same weights and the same history. If the
# generator's state is left out, the pictures come in another order, and they do not.

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "last.pt"

model, optimizer, batches = start("hidden layer", seed=0)
history = fit(model, optimizer, batches, validation, 4, path)
uninterrupted = {name: tensor.clone() for name, tensor in model.state_dict().items()}

model, optimizer, batches = start("hidden layer", seed=0)
half = fit(model, optimizer, batches, validation, 2, path)
model, optimizer, batches = start("hidden layer", seed=99)
resumed = fit(model, optimizer, batches, validation, 4, path, resume=True)
same = all(torch.equal(tensor, uninterrupted[name]) for name, tensor in model.state_dict().items())
print(f"resumed at epoch {len(half)}: weights equal {same}, histories equal {resumed == history}")
assert same and resumed == history and half == history[:2]

state = load_checkpoint(path)
print("in the file:", sorted(state), f"  after epoch {state['epoch']}")
assert state.keys() == KEYS

# %%
model, optimizer, batches = start("hidden layer", seed=0)
half = fit(model, optimizer, batches, validation, 2, path)
batches.generator.manual_seed(99)  # as if its state had not been saved
other = fit(model, optimizer, batches, validation, 4, path.with_name("other.pt"))
assert other[-1] != history[-1]

# %% [markdown]
# A damaged or foreign file must be refused at once, in words that help. `torch.save` writes a zip
# archive, and that can be checked before anything is read. We cut a checkpoint short, write a text file,
# and offer the bare weights.

# %%
whole_file = path.read_bytes()
offers = {
    "cut short": whole_file[: len(whole_file) // 2],
    "empty": b"",
    "a text file": b"accuracy: very good\n",
    "bare weights": path.with_name("best.pt").read_bytes(),
}
refusals = {}
for name, content in offers.items():
    bad = path.with_name("bad.pt")
    bad.write_bytes(content)
    try:
        refusals[name] = f"accepted: {load_checkpoint(bad).keys()}"
    except ValueError as error:
        refusals[name] = str(error)
    print(f"{name:20s}{refusals[name]}")
assert all("damaged" in refusals[name] for name in ("cut short", "empty", "a text file"))
assert "lacks" in refusals["bare weights"]

# %% [markdown]
# ## Two models, several seeds
#
# The linear model is the *baseline*: what a hidden layer has to beat. One run of each would compare two
# random starts as much as two models, so each is trained from several seeds. The best epoch is chosen on
# the validation set; then, once, the test set is opened.

# %%
n_epochs, test_set = 10, TensorBatches(standardize(test_images), test_labels, batch_size=500)
histories, test_confusions = {}, {}
for kind in ("linear", "hidden layer"):
    for seed in range(3):
        model, optimizer, batches = start(kind, seed)
        rows = histories[kind, seed] = fit(model, optimizer, batches, validation, n_epochs, path)
        model.load_state_dict(torch.load(path.with_name("best.pt"), weights_only=True))
        test_confusions[kind, seed] = evaluate(model, test_set)[1]
        best = max(range(n_epochs), key=lambda epoch: rows[epoch][2])
        print(f"{kind:16s}seed {seed}   best epoch {best + 1:2d}   validation {rows[best][2]:.3f}", end="   ")
        print(f"test {accuracy(test_confusions[kind, seed]):.3f}")
folder.cleanup()

test_accuracy = {
    kind: statistics.mean(accuracy(test_confusions[kind, seed]) for seed in range(3))
    for kind in ("linear", "hidden layer")
}
gain = test_accuracy["hidden layer"] - test_accuracy["linear"]
print(f"mean test accuracy: {test_accuracy}   gain {gain:.3f}")
assert gain > 0.01

# %% [markdown]
# Validation looks better than the test. In part because the best epoch was chosen by it, in part because
# the two sets hold different pictures, a thousand each: the standard error is printed below. So the
# number to report is the test's. The curves show a gap opening: after some epochs the training pictures
# are known better than new ones. And the confusion matrix shows where the errors live.

# %%
confusion = sum(test_confusions["hidden layer", seed] for seed in range(3))
share = (confusion / confusion.sum(dim=1, keepdim=True)).numpy()  # (10, 10) / (10, 1): of each class
rows = np.array(histories["hidden layer", 0])  # (n_epochs, 3)
best = rows[:, 2].argmax()
worst = recalls(confusion).argmin().item()
print(
    "recall: " + ", ".join(f"{name} {value:.2f}" for name, value in zip(CLASSES, recalls(confusion).tolist()))
)
error = (test_accuracy["hidden layer"] * (1 - test_accuracy["hidden layer"]) / len(test_labels)) ** 0.5
chosen_by = statistics.mean(max(row[2] for row in history) for history in histories.values())
lead = chosen_by - statistics.mean(test_accuracy.values())
print(f"validation is {lead:.3f} ahead of the test", end="; ")
print(f"standard error of an accuracy on {len(test_labels)} pictures: {error:.3f}")
assert lead > 0
assert rows[0, 0] > rows[0, 1] and rows[-1, 0] < rows[-1, 1]
assert CLASSES[worst] == "shirt"

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(np.arange(1, n_epochs + 1), rows[:, 0], "o-", color="C0", label="training")
left.plot(np.arange(1, n_epochs + 1), rows[:, 1], "s--", color="C1", label="validation")
left.axvline(best + 1, color="0.7", linewidth=0.8, zorder=0)
left.text(best + 0.9, 0.05, "most accurate", ha="right", color="0.3")
left.set(xlabel="epoch", ylabel="loss (nats)", ylim=0, title="A gap opens: old pictures are known better")
left.legend()
picture = right.imshow(share, cmap="viridis", vmax=0.3)
right.set_xticks(range(10), CLASSES, rotation=90)
right.set_yticks(range(10), CLASSES)
right.set(xlabel="answer", ylabel="truth", title="Shirts are the hardest of the tops")
fig.colorbar(picture, label="share of the class", extend="max")
plt.show()

# %% [markdown]
# ## Looking at the mistakes
#
# Numbers say how many, pictures say which. The last model's most confident mistakes: some are hard for
# anyone, and some labels may be wrong.

# %%
with torch.no_grad():
    probabilities = torch.softmax(model(test_set.images), dim=1)  # (1000, 10)
confidence, answers = probabilities.max(dim=1)  # (1000,) and (1000,)
wrong = torch.nonzero(answers != test_labels)[:, 0]  # (n_wrong, 1) -> (n_wrong,)
worst_first = wrong[confidence[wrong].argsort(descending=True)][:8]
print(f"{len(wrong)} mistakes, these made with {confidence[worst_first[-1]]:.2f} or more")
assert len(wrong) == round(1000 * (1 - accuracy(test_confusions["hidden layer", 2])))
assert (answers[worst_first] != test_labels[worst_first]).all()

fig, axes = plt.subplots(2, 4, figsize=(10, 5.6), layout="constrained")
for ax, i in zip(axes.flat, worst_first.tolist()):
    ax.imshow(test_images[i].numpy(), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_title(
        f"{CLASSES[answers[i]]}, {confidence[i]:.0%} sure\nlabel: {CLASSES[test_labels[i]]}", fontsize=10
    )
fig.suptitle("Sure and wrong: confidence is no proof, and some labels can be argued about")
plt.show()

# %% [markdown]
# ## The full set
#
# This lesson ships a part of Fashion-MNIST. With a network connection, `torchvision` fetches all 70,000
# pictures, and its object is a `Dataset` like ours: only the line that makes it changes.
#
# ```python
# dataset = torchvision.datasets.FashionMNIST("data", train=True, download=True, transform=...)
# ```
#
# ## What to remember
#
# - A dataset answers "how many" and "which one"; a sampler orders; a loader collates. In memory, indexing
#   whole tensors is faster.
# - Shuffle, from a generator of its own. Sorted data teaches the last class.
# - A checkpoint holds everything the next step depends on; resuming is right when it equals not having
#   stopped.
# - Choose on validation, report several seeds beside a baseline, open the test set once, and look at the
#   mistakes.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Give SGD `momentum=0.9`, and leave the optimizer's state out of `restore`. Does resuming still agree?
# 2. Use a `DataLoader` with `shuffle=True` and the same generator. Does it yield our order? Read what it
#    draws first.
# 3. Standardise with the mean of all 6,000 pictures. How much does the test accuracy change, and why is
#    it still wrong?
#
# ## Sources
#
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST: a novel image dataset for benchmarking machine
#   learning algorithms*, 2017.
# - X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", *MLSys* 2021: why
#   several seeds.
# - PyTorch documentation, *torch.utils.data* and *Reproducibility*.
