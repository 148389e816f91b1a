# %% [markdown]
# # 4.4 A training cycle: from a folder of pictures to one test result
#
# A shop has a folder with five thousand photos of clothes, sorted into ten subfolders, and wants a
# program that names the garment on a new photo. Nearly every job with neural networks starts like this,
# whether the pictures show clothes, cells or cracks in concrete: files on a disk, a model to be trained,
# a computer that may be switched off at night, and at the end somebody who asks how good the program is.
# Each part of such a *training cycle* is short. But each can spoil the result without an error, so in
# this lesson we test them one by one.
#
# **You will build** the whole cycle: a dataset over files, a loader, two loops that run on any device, a
# scheduler, metrics, checkpoints that resume exactly, a choice on validation data, and a test that is
# made once. **You need** training, validation and test sets (3.1), the training loop (3.3), metrics (3.4)
# and modules (4.3). **It takes** about half a minute.

# %%
import atexit
import math
import pickle
import statistics
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split
from torchvision.transforms import v2

HERE = Path(globals().get("__file__", "")).parent
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
print("training will run on:", device)

# %% [markdown]
# ## On paper first
#
# Four garments of the classes 0, 0, 1, 2 are called 0, 1, 1, 2. A confusion matrix (3.4) counts such
# answers: its row is the true class, its column the answer. The accuracy is the share of right answers,
# which stand on the diagonal. The recall of a class is the share of right answers in its row.
#
# $$\begin{aligned}
#   C &= \begin{pmatrix} 1 & 1 & 0 \\ 0 & 1 & 0 \\ 0 & 0 & 1 \end{pmatrix} \\
#   \text{accuracy} &= \frac{1 + 1 + 1}{4} = \frac34 \\
#   \text{recall of class } 0 &= \frac{1}{1 + 1} = \frac12
# \end{aligned}$$


# %%
def confusion_matrix(labels, predictions, n_classes):
    """Counts of shape (n_classes, n_classes): row the label, column the prediction.

    Raises ValueError if shapes differ, or a label or prediction is no whole number in 0 ... n_classes - 1.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, predictions {tuple(predictions.shape)}")
    for name, values in (("label", labels), ("prediction", predictions)):
        if values.is_floating_point():
            raise ValueError(f"a {name} must be a whole number, got {values.dtype}")
        if len(values) and not 0 <= values.min() <= values.max() < n_classes:
            raise ValueError(f"a {name} lies outside 0 to {n_classes - 1}")
    # row and column as one number, row · n_classes + column; bincount counts how often each number occurs
    cells = torch.bincount(labels.long() * n_classes + predictions, minlength=n_classes**2)  # (n_classes²,)
    return cells.reshape(n_classes, n_classes)  # (n_classes²,) -> (n_classes, n_classes)


def accuracy(confusion):
    """Right answers as a share of all; NaN without any."""
    return (confusion.trace() / confusion.sum()).item()


def recalls(confusion):
    """Right answers as a share of each class; NaN for a class that did not occur."""
    return confusion.diagonal() / confusion.sum(dim=1)


counts = confusion_matrix(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2]), n_classes=3)
print(counts.tolist(), "accuracy", accuracy(counts), "recalls", recalls(counts).tolist())
assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]] and accuracy(counts) == 0.75

# %% [markdown]
# ## From files to examples
#
# First we make the shop's folder: one subfolder for each class, with PNG files in it. The pictures are
# those of lesson 4.1, and the thousand test pictures go to a folder of their own, which stays closed
# until the end.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_pixels = torch.from_numpy(archive["train_images"])  # (5000, 28, 28) uint8
    test_pixels = torch.from_numpy(archive["test_images"])  # (1000, 28, 28) uint8
    true_names = {
        "train": [CLASSES[label] for label in archive["train_labels"]],
        "test": [CLASSES[label] for label in archive["test_labels"]],
    }

workplace = tempfile.TemporaryDirectory()
atexit.register(workplace.cleanup)  # when the process of the lesson ends
folder = Path(workplace.name)
for part, pixels in {"train": train_pixels, "test": test_pixels}.items():
    for name in CLASSES:
        (folder / part / name).mkdir(parents=True, exist_ok=True)
    for i, (picture, name) in enumerate(zip(pixels, true_names[part])):
        image = v2.functional.to_pil_image(picture[None])  # (28, 28) -> (1, 28, 28): one channel, grey
        image.save(folder / part / name / f"{i:04d}.png", compress_level=1)
train_folder_files = sorted((folder / "train").glob("*/*.png"))
print(f"{len(train_folder_files)} files, the first one: {train_folder_files[0].relative_to(folder)}")

# %% [markdown]
# A `Dataset` answers two questions: how many examples are there, and which is number $i$? Ours opens a
# file when it is asked for it, so the pictures need not fit into memory, and the subfolder is the label.
# (Pictures of your own go into such subfolders, as grey PNG files of 28 by 28 pixels, and the names of
# the subfolders into `CLASSES`. Whatever else lies there is refused by its name.)
#
# A *transform* is what is done to an example on its way. `plt.imread` returns numbers from 0 to 1,
# `v2.ToImage` makes a tensor of them with the channel as first axis, and `v2.Normalize` brings it to mean
# zero and spread one. Mean and spread are measured on the training pictures only, because they are
# learned from data like a weight.
#
# Where should the split into training and validation happen? If `random_split` split the finished
# dataset, both parts would share one transform, and later (8.6) only the training pictures will be
# flipped and shifted at random. So we split the list of files and make two datasets. The files lie sorted
# by class, so the split has to be random.


# %%
class PictureFiles(Dataset):
    """(transformed picture, label) from grey PNG files whose folders are named after the classes.

    Raises ValueError if a folder is not among the classes, or a file is another kind of picture.
    """

    def __init__(self, files, classes, transform):
        self.files = list(files)
        self.classes = list(classes)
        self.transform = transform
        if unknown := {file.parent.name for file in self.files} - set(classes):
            raise ValueError(f"no classes are called {sorted(unknown)}, there are {self.classes}")

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        file = self.files[index]
        picture = plt.imread(file)  # (28, 28) float32, from 0 to 1
        if picture.dtype != np.float32 or picture.shape != (28, 28):
            raise ValueError(f"{file} must be a grey PNG, 28 by 28, got {picture.dtype} {picture.shape}")
        return self.transform(picture), self.classes.index(file.parent.name)


split_generator = torch.Generator().manual_seed(0)
train_files, valid_files = random_split(train_folder_files, [0.8, 0.2], generator=split_generator)
raw = PictureFiles(train_files, CLASSES, v2.ToImage())
raw_pixels = torch.stack([picture for picture, _ in raw])  # (4000, 1, 28, 28)
mean = raw_pixels.mean().item()
spread = raw_pixels.std().item()
transform = v2.Compose([v2.ToImage(), v2.Normalize([mean], [spread])])

train_set = PictureFiles(train_files, CLASSES, transform)
valid_set = PictureFiles(valid_files, CLASSES, transform)
picture, label = train_set[0]
print(f"{len(train_set)} for training, {len(valid_set)} for validation; training mean {mean:.3f}")
print(f"the first example: {tuple(picture.shape)} {picture.dtype}, {CLASSES[label]}")

# %% [markdown]
# ## From examples to batches
#
# A loader asks a *sampler* in which order the examples come, fetches them one by one, and *collates* a
# list of pairs into a pair of tensors. For each epoch a new order is drawn, from the sampler's own
# generator (4.1).


# %%
class Shuffle:
    """The numbers 0 to n - 1 in a new random order each time it is iterated."""

    def __init__(self, n, generator):
        self.n = n
        self.generator = generator

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(torch.randperm(self.n, generator=self.generator).tolist())


def collate(examples):
    """A list of (picture, label), not empty, as (pictures, labels) of shapes (B, ...) and (B,)."""
    pictures, labels = zip(*examples, strict=True)
    return torch.stack(pictures), torch.tensor(labels)


class Loader:
    """Batches of `dataset` in the order of `sampler`; the last may be smaller."""

    def __init__(self, dataset, batch_size, sampler):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler

    def __len__(self):
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self):
        indices = list(self.sampler)  # asking the sampler draws a new order
        for first in range(0, len(indices), self.batch_size):
            chosen = indices[first : first + self.batch_size]  # the last may be shorter
            yield collate([self.dataset[index] for index in chosen])


# %% [markdown]
# The library's `DataLoader` does the same. Does it yield the same batches from the same generator?

# %%
batch_size = 50
some = torch.utils.data.Subset(train_set, range(1000))
epochs = {}
for name, loader_class in {"our own": Loader, "DataLoader": DataLoader}.items():
    loader = loader_class(some, batch_size, sampler=Shuffle(len(some), torch.Generator().manual_seed(0)))
    started = time.perf_counter()
    epochs[name] = list(loader)
    seconds = time.perf_counter() - started
    print(f"{name:20s}{len(loader):4d} batches   {1e6 * seconds / len(some):8.0f} µs per picture")
for (pictures, labels), (same_pictures, same_labels) in zip(*epochs.values(), strict=True):
    assert torch.equal(pictures, same_pictures) and torch.equal(labels, same_labels)

# %% [markdown]
# The batches are the same, bit for bit. Our pictures fit into memory, so from here on we decode each of
# them once and keep the tensors in a `TensorDataset`, behind the same loader. If it is called with
# `shuffle=True` and a generator, the loader makes a sampler like our `Shuffle` itself.


# %%
def in_memory(dataset):
    """The examples of `dataset`, each fetched once, as a TensorDataset of pictures and labels."""
    pictures, labels = collate([dataset[i] for i in range(len(dataset))])
    return TensorDataset(pictures, labels)


train_tensors = in_memory(train_set)  # (4000, 1, 28, 28) and (4000,)
valid_tensors = in_memory(valid_set)  # (1000, 1, 28, 28) and (1000,)
validation = DataLoader(valid_tensors, batch_size=500)  # neither shuffled nor random


# %% [markdown]
# ## Two loops on any device
#
# Model and data must live on the same device. A module's `.to(device)` moves the module itself, but a
# tensor's returns another tensor and leaves the old one where it is, so it has to be `x = x.to(device)`.
#
# `train_epoch` is the loop of lesson 3.3 with a loader and a device, and `evaluate` counts without
# recording (4.2). Each of them switches the model to its own mode first, because our model will contain
# dropout, which sets random entries to zero in training mode (8.1). Both add up tensors and ask for their
# values once, after the loop (4.5 shows why).


# %%
def train_epoch(model, optimizer, batches, device):
    """One pass of gradient descent over `batches`; returns the mean loss per example before each step."""
    model.train()
    total = torch.zeros((), device=device)
    n_seen = 0
    for pictures, labels in batches:
        pictures = pictures.to(device)
        labels = labels.to(device)
        loss = F.cross_entropy(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(labels)
        n_seen += len(labels)
    if n_seen == 0:
        raise ValueError("there are no batches to train on")
    return total.item() / n_seen


@torch.no_grad()
def evaluate(model, batches, device, n_classes=10):
    """Mean loss per example and confusion matrix (on the CPU) of `model` over `batches`."""
    model.eval()
    total = torch.zeros((), device=device)
    confusion = torch.zeros(n_classes, n_classes, dtype=torch.int64)
    for pictures, labels in batches:
        pictures = pictures.to(device)
        labels = labels.to(device)
        scores = model(pictures)  # (B, 1, 28, 28) -> (B, 10)
        total += F.cross_entropy(scores, labels, reduction="sum")
        confusion += confusion_matrix(labels.cpu(), scores.argmax(dim=1).cpu(), n_classes)
    if confusion.sum() == 0:
        raise ValueError("there are no batches to evaluate on")
    return total.item() / confusion.sum().item(), confusion


# %% [markdown]
# ## A checkpoint holds everything that the next step depends on
#
# Training may take days, and computers are restarted. A *checkpoint* is a file from which a run can go
# on. Besides the weights it must contain whatever else the next step depends on:
#
# - the optimizer's state: its current learning rate and, for some methods, a memory (7.2),
# - the *scheduler*, which lowers the learning rate from epoch to epoch (7.3),
# - the loader's generator, which decides the order of the pictures,
# - the global random generators, from which dropout draws (and NumPy's or Python's, if a program draws
#   from them),
# - and the history so far, whose length is the number of epochs done.
#
# The file is written under another name first and then renamed, so that a program that is killed in
# between leaves the old checkpoint whole. On loading, any other file is refused at once.


# %%
KEYS = {"model", "optimizer", "scheduler", "loader", "random", "random_cuda", "history"}


def training_state(model, optimizer, scheduler, batches, history):
    """A dict with all that the next step of training depends on."""
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "loader": batches.generator.get_state(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all(),  # a list, empty without a CUDA GPU
        "history": history,
    }


def restore(state, model, optimizer, scheduler, batches):
    """Put a training state into these objects and the global generators; returns its history."""
    model.load_state_dict(state["model"])  # names and shapes are checked here
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    batches.generator.set_state(state["loader"])
    torch.set_rng_state(state["random"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random_cuda"])
    return list(state["history"])


def save_checkpoint(path, state):
    """Write `state` to `path`, replacing an older file in one step."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_checkpoint(path):
    """The dict that `save_checkpoint` wrote; raises ValueError on any other file."""
    damaged = f"{path.name} is damaged, or was not written by torch.save"
    if not zipfile.is_zipfile(path):  # torch.save writes a zip archive, whose table of contents is at the end
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
# Everything is tied together in `fit`. After each epoch it steps the scheduler, evaluates on the
# validation set, and saves two files: `last.pt`, to go on from, and `best.pt`, the weights with the
# lowest validation loss so far. The best weights are written first, because if the program dies between
# the two, the epoch is done again.


# %%
def fit(model, optimizer, scheduler, batches, validation, n_epochs, path, device, resume=False):
    """Train to `n_epochs` with a checkpoint at `path` after each epoch, and best.pt beside it.

    Returns the history: (training loss, validation loss, validation accuracy) of each epoch.
    """
    history = []
    if resume:
        history = restore(load_checkpoint(path), model, optimizer, scheduler, batches)
    for _ in range(len(history), n_epochs):
        train_loss = train_epoch(model, optimizer, batches, device)
        scheduler.step()
        valid_loss, confusion = evaluate(model, validation, device)
        is_best = valid_loss < min((row[1] for row in history), default=float("inf"))
        history.append((train_loss, valid_loss, accuracy(confusion)))
        if is_best:
            torch.save(model.state_dict(), path.with_name("best.pt"))
        save_checkpoint(path, training_state(model, optimizer, scheduler, batches, history))
    return history


def start(kind, learning_rate, seed, n_epochs, examples=train_tensors):
    """A fresh model ("linear" or "hidden layer"), optimizer, scheduler and loader, all from one seed."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    if kind == "hidden layer":
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)
        )
    model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=n_epochs)
    generator = torch.Generator().manual_seed(seed)
    batches = DataLoader(examples, batch_size, shuffle=True, generator=generator)
    return model, optimizer, scheduler, batches


# %% [markdown]
# ## Interrupted and resumed
#
# A resumed run is right if it equals the run that was never interrupted, on a CPU in every bit. We train
# on 500 pictures in one go, then train halfway, throw everything away, begin with new objects and
# _another seed_, and resume. After that we resume again and again, each time with one entry of the
# checkpoint replaced by what a new start has there. Which entries can be left out without harm?

# %%
path = folder / "last.pt"
few = torch.utils.data.Subset(train_tensors, range(500))


def weights_of(model):
    """All parameters of a model in one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


unbroken = start("hidden layer", 0.2, seed=0, n_epochs=4, examples=few)
unbroken_history = fit(*unbroken, validation, 4, path, device)
broken = start("hidden layer", 0.2, seed=0, n_epochs=4, examples=few)
half_history = fit(*broken, validation, 2, path, device)
half_state = load_checkpoint(path)

gaps = {}
for left_out in ("nothing", "model", "optimizer", "scheduler", "loader", "random"):
    resumed = start("hidden layer", 0.2, seed=99, n_epochs=4, examples=few)
    state = dict(half_state)
    new_start = training_state(*resumed, [])
    for entry in KEYS:
        # "random" stands for "random" and "random_cuda", and "nothing" is no entry at all
        if entry.startswith(left_out):
            state[entry] = new_start[entry]
    save_checkpoint(path, state)
    resumed_history = fit(*resumed, validation, 4, path, device, resume=True)
    gaps[left_out] = (weights_of(resumed[0]) - weights_of(unbroken[0])).abs().max().item()
    same = "same history" if resumed_history == unbroken_history else "another history"
    print(f"left out: {left_out:12s}largest difference of a weight {gaps[left_out]:.1e}   {same}")

# %% [markdown]
# With the whole checkpoint the two runs agree in every bit (on a GPU, some operations add in an order
# that varies, and they may agree in a few digits fewer). Without any one of the entries they do not.
# Because nothing fails, this fault is common: a run that resumes without its generators looks all right,
# but it is another run, and nobody can repeat it.
#
# ## A choice on validation data
#
# In the real training, a linear model is the baseline, which the network with a hidden layer has to beat.
# Each kind of model gets three learning rates, and we take the one with the lowest validation loss. If
# the best had been at the edge of its row, we would have tried further. So that we do not compare two
# random starts, the chosen rates are trained from two more seeds.

# %%
n_epochs = 10
rates = {"linear": (0.015, 0.05, 0.15), "hidden layer": (0.06, 0.2, 0.6)}
chosen_rate = {}
best_weights = {"linear": [], "hidden layer": []}
histories = {"linear": [], "hidden layer": []}


def best_row(history):
    """The row of a history with the lowest validation loss."""
    return min(history, key=lambda row: row[1])


def train_once(kind, learning_rate, seed):
    """Train from scratch; returns the history and the best weights."""
    history = fit(*start(kind, learning_rate, seed, n_epochs), validation, n_epochs, path, device)
    return history, torch.load(path.with_name("best.pt"), weights_only=True)


def report(kind, learning_rate, seed, history):
    """Print a run's best epoch, and its validation loss and accuracy there."""
    row = best_row(history)
    epoch = 1 + history.index(row)
    print(f"{kind:16s}{learning_rate:8.3f}{seed:6d}{epoch:12d}{row[1]:8.3f}{row[2]:10.3f}")


print(f"{'model':16s}{'rate':>8s}{'seed':>6s}{'best epoch':>12s}{'loss':>8s}{'accuracy':>10s}")
for kind, candidates in rates.items():
    lowest = float("inf")
    for learning_rate in candidates:
        history, weights = train_once(kind, learning_rate, seed=0)
        report(kind, learning_rate, 0, history)
        if best_row(history)[1] < lowest:
            lowest = best_row(history)[1]
            chosen_rate[kind] = learning_rate
            histories[kind] = [history]
            best_weights[kind] = [weights]
    for seed in (1, 2):
        history, weights = train_once(kind, chosen_rate[kind], seed)
        report(kind, chosen_rate[kind], seed, history)
        histories[kind].append(history)
        best_weights[kind].append(weights)

# %% [markdown]
# Both choices lie inside their rows. The hidden layer has the lower validation loss for every seed, and
# the losses of its seeds lie closer together than those of the two models. So we choose the network with
# a hidden layer, at its rate, and with that all choices have been made.
#
# ## The test, once
#
# Only here do we open the test folder. Do you expect the test accuracies to be higher or lower than those
# on validation? The standard error (2.8) says by how much an accuracy on a thousand pictures varies by
# chance. To compare two models, we take their difference on each picture, so that a picture which is hard
# for both counts for neither (3.4).

# %%
test_set = PictureFiles(sorted((folder / "test").glob("*/*.png")), CLASSES, transform)
test = DataLoader(in_memory(test_set), batch_size=500)
test_pictures, test_labels = test.dataset.tensors  # (1000, 1, 28, 28) and (1000,)
test_confusions = {"linear": [], "hidden layer": []}
right_answers = {"linear": [], "hidden layer": []}
for kind, runs in best_weights.items():
    for weights in runs:
        model = start(kind, chosen_rate[kind], 0, n_epochs)[0]
        model.load_state_dict(weights)
        test_confusions[kind].append(evaluate(model, test, device)[1])
        with torch.no_grad():
            answers = model(test_pictures.to(device)).argmax(dim=1).cpu()  # (1000, 10) -> (1000,)
        right_answers[kind].append((answers == test_labels).double())

test_accuracy = {kind: [accuracy(c) for c in test_confusions[kind]] for kind in test_confusions}
valid_accuracy = {kind: [best_row(history)[2] for history in histories[kind]] for kind in histories}
print(f"{'model':16s}{'validation':>12s}{'test':>8s}   test, seed by seed")
for kind, values in test_accuracy.items():
    means = f"{statistics.mean(valid_accuracy[kind]):12.3f}{statistics.mean(values):8.3f}"
    print(f"{kind:16s}{means}   " + " ".join(f"{value:.3f}" for value in values))
share = statistics.mean(test_accuracy["hidden layer"])
standard_error = (share * (1 - share) / len(test_set)) ** 0.5
hidden_right = torch.stack(right_answers["hidden layer"]).mean(dim=0)  # (3, 1000) -> (1000,): over the runs
differences = hidden_right - torch.stack(right_answers["linear"]).mean(dim=0)  # (1000,)
gain = differences.mean().item()
gain_error = (differences.std() / len(test_set) ** 0.5).item()
print(f"standard error of an accuracy {standard_error:.3f}")
print(f"gain of the hidden layer {gain:.3f}, standard error of this gain {gain_error:.3f}")

# %% [markdown]
# The test accuracy is the number to report. Beside the standard error of one accuracy the network's gain
# looks doubtful. But most pictures are easy, or hard, for both models, so the mean difference varies far
# less than each accuracy does, and the gain is several of its own standard errors. Each of the three runs
# is ahead of each linear one, too.
#
# The test accuracy could be expected to be lower than that on validation, where epoch and rate were
# chosen. Here the difference is smaller than two standard errors, as chance alone can make it. (With
# three other splits, validation was ahead by up to one and a half points.) The more one chooses, the
# larger this lead becomes.
#
# Where do the errors lie, and does the network learn its training pictures by heart? The left panel shows
# the first of the three runs, the right one the confusion matrices of all three together, as shares of
# each true class.

# %%
confusion = sum(test_confusions["hidden layer"])  # (10, 10)
shares = (confusion / confusion.sum(dim=1, keepdim=True)).numpy()  # (10, 10) / (10, 1): of each class
class_recalls = recalls(confusion)
for name, value in zip(CLASSES, class_recalls.tolist()):
    print(f"{name:12s}recall {value:.2f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
first_run = np.array(histories["hidden layer"][0])  # (n_epochs, 3)
left.plot(np.arange(1, n_epochs + 1), first_run[:, 0], "o-", color="C0", label="training")
left.plot(np.arange(1, n_epochs + 1), first_run[:, 1], "s--", color="C1", label="validation")
left.set(xlabel="epoch", ylabel="loss (nats)", ylim=0, title="Learning curves of the first run")
left.legend()
heatmap = right.imshow(shares, cmap="viridis", vmax=0.3)
right.set_xticks(range(10), CLASSES, rotation=90)
right.set_yticks(range(10), CLASSES)
right.set(xlabel="answer", ylabel="true class", title="Test pictures, as shares of their class")
fig.colorbar(heatmap, label="share", extend="max")
plt.show()

# %% [markdown]
# Both curves fall, fast at first and then slowly, as the scheduler lowers the learning rate. From the
# third epoch on the training loss is below the validation loss, although it is measured with dropout
# switched on, so the training pictures are known better than new ones. The validation loss is still
# falling a little at the end, so the best epoch is there or near it. (Would more epochs help? With twenty
# instead of ten, none of the three seeds came to a lower validation loss.) In the matrix, look at the
# brighter cells off the diagonal. Shirts, T-shirts, pullovers and coats are taken for each other, and
# shirts have the lowest recall. If shoes are mistaken, it is mostly for other shoes.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert half_history == unbroken_history[:2], "the broken run began like the unbroken one"
if device.type == "cpu":
    assert gaps["nothing"] == 0, "a resumed run equals the unbroken one, bit by bit"
others = [gap for left_out, gap in gaps.items() if left_out != "nothing"]
assert len(others) == 5 and min(others) > 1e-4, "without any one entry the resumed run is another run"
assert all(chosen_rate[kind] == rates[kind][1] for kind in rates), "both chosen rates lie inside their rows"
lowest_losses = {kind: [best_row(history)[1] for history in histories[kind]] for kind in histories}
worst_hidden = max(lowest_losses["hidden layer"])
assert worst_hidden < min(lowest_losses["linear"]), "the hidden layer is better on validation for every seed"
within = max(max(losses) - min(losses) for losses in lowest_losses.values())
assert within < (min(lowest_losses["linear"]) - worst_hidden) / 1.5, "seeds differ less than the models do"
worst_test = min(test_accuracy["hidden layer"])
assert worst_test > max(test_accuracy["linear"]), "the hidden layer is better on the test, too"
assert gain > 2.5 * gain_error, "the gain is several of its standard errors, picture by picture"
assert gain_error < 0.75 * standard_error, "a difference on the same pictures varies less than an accuracy"
mean_valid = statistics.mean(valid_accuracy["hidden layer"])
mean_test = statistics.mean(test_accuracy["hidden layer"])
assert abs(mean_valid - mean_test) < 2 * standard_error, "validation and test agree within chance"
assert first_run[0, 0] > first_run[0, 1] and first_run[-1, 0] < first_run[-1, 1], "a gap opens"
assert CLASSES[class_recalls.argmin()] == "shirt", "shirts have the lowest recall"
shoes = confusion[[5, 7, 9]][:, [5, 7, 9]]  # (10, 10) -> (3, 3)
shoe_mistakes = confusion[[5, 7, 9]].sum() - shoes.trace()
assert shoes.sum() - shoes.trace() > 0.7 * shoe_mistakes, "shoes are mostly mistaken for other shoes"

# %% [markdown]
# ## Going further
#
# The mistakes themselves, loading in other processes, what happens without shuffling, a line that does
# nothing, how a damaged checkpoint is refused, and a loader that is faster than `DataLoader`. Later
# chapters index whole tensors in the way of the last part where their data are small.
#
# ### The most confident mistakes
#
# Here are the most confident mistakes of the last network. Would you have known better?

# %%
with torch.no_grad():
    probabilities = torch.softmax(model.eval()(test_pictures.to(device)), dim=1).cpu()  # (1000, 10)
confidence, answers = probabilities.max(dim=1)  # (1000, 10) -> (1000,) and (1000,)
wrong = torch.nonzero(answers != test_labels)[:, 0]  # (n_wrong, 1) -> (n_wrong,)
most_confident = wrong[confidence[wrong].argsort(descending=True)][:8]
print(f"{len(wrong)} mistakes; the lowest probability among these is {confidence[most_confident[-1]]:.2f}")

fig, axes = plt.subplots(2, 4, figsize=(10, 5.6), layout="constrained")
for ax, i in zip(axes.flat, most_confident.tolist()):
    ax.imshow(test_pictures[i, 0].numpy(), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    title = f"{CLASSES[answers[i]]}, {confidence[i]:.0%} sure\nlabel: {CLASSES[test_labels[i]]}"
    ax.set_title(title, fontsize=10)
fig.suptitle("The most confident mistakes on the test pictures")
plt.show()

# %% [markdown]
# Some of these are hard for anyone, and a few labels can be argued about. A high probability is no proof
# of a right answer.
#
# ### Other processes fetch the examples
#
# With `num_workers`, `DataLoader` lets other processes fetch the examples while the main process trains.
# Do the batches stay the same, and do two workers halve the time here?
#
# On Windows and macOS, and on Linux from Python 3.14 on, a worker starts as a new Python that imports
# your script again. Without a guard each worker would start workers of its own, so Python stops with an
# error. There, the loop must stand behind the guard that lesson 4.7 explains:
#
# ```python
# if __name__ == "__main__":
#     for pictures, labels in DataLoader(train_set, batch_size=50, num_workers=2): ...
# ```
#
# In a notebook the guard does not help, because a new process cannot import a class that was defined in a
# cell. So on Linux we ask for workers that are copies of the running process (`fork`), which import
# nothing; elsewhere the workers are left out.

# %%
n_workers = 2 if sys.platform == "linux" else 0
how = "fork" if n_workers else None
order = Shuffle(len(some), torch.Generator().manual_seed(0))
loader = DataLoader(some, batch_size, sampler=order, num_workers=n_workers, multiprocessing_context=how)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # advice about fork, and about more workers than processors
    started = time.perf_counter()
    fetched = list(loader)
    seconds = time.perf_counter() - started
print(f"{n_workers} workers   {1e6 * seconds / len(some):8.0f} µs per picture")
for (pictures, labels), (same_pictures, same_labels) in zip(epochs["our own"], fetched, strict=True):
    assert torch.equal(pictures, same_pictures) and torch.equal(labels, same_labels)

# %% [markdown]
# The batches are the same. Whether workers pay depends on the work for each example and on the number of
# free processors. Our pictures are small, and to start two processes and send the pictures over takes
# time as well. With photos of a megapixel and several processors, workers decide whether a GPU is busy or
# waits.
#
# ### What shuffling does
#
# Our files lie sorted by class. Suppose that we had not shuffled, so that each batch shows one class,
# and train a linear model for one epoch in either order. Which classes will it know afterwards?

# %%
by_class = train_tensors.tensors[1].argsort(stable=True)  # (4000,)
sorted_tensors = torch.utils.data.Subset(train_tensors, by_class.tolist())
orders = {
    "sorted": DataLoader(sorted_tensors, batch_size),
    "shuffled": DataLoader(
        train_tensors, batch_size, shuffle=True, generator=torch.Generator().manual_seed(0)
    ),
}
class_counts = {}
order_recalls = {}
for name, batches in orders.items():
    class_counts[name] = torch.stack([F.one_hot(labels, 10).sum(dim=0) for _, labels in batches])  # (80, 10)
    linear, optimizer, _, _ = start("linear", 0.03, seed=0, n_epochs=1)
    train_loss = train_epoch(linear, optimizer, batches, device)
    order_recalls[name] = recalls(evaluate(linear, validation, device)[1])
    print(f"{name:12s}recalls " + " ".join(f"{recall:.2f}" for recall in order_recalls[name].tolist()))

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, name in zip(axes, orders):
    heatmap = ax.imshow(class_counts[name].T.numpy(), aspect="auto", cmap="viridis", vmax=batch_size // 2)
    ax.set(xlabel="batch", title=f"{name}: mean recall {order_recalls[name].mean():.2f}")
axes[0].set_yticks(range(10), CLASSES)
fig.colorbar(heatmap, ax=axes, label="examples of the class in the batch", extend="max")
plt.show()

# %% [markdown]
# In the left panel the classes come one after the other, in the right one every batch is a mixture. After
# the sorted epoch the last class is recognized nearly always, and most of the earlier classes are
# forgotten.
#
# ### A line that does nothing
#
# The device "meta", on which tensors have a shape and no numbers, shows on every computer what happens to
# a tensor whose `.to` is not assigned.

# %%
x = torch.ones(2, 3)
x.to("meta")  # the result is lost
place_without_assigning = x.device.type
x = x.to("meta")
print(f"without assigning: {place_without_assigning}; assigned: {x.device.type}")

# %% [markdown]
# Without the assignment `x` stays where it was, and no error says so.
#
# ### A damaged file
#
# A checkpoint that was cut short, an empty file, a text file and a file of bare weights: each must be
# refused in words that help.

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
    except ValueError as refusal:
        refusals[name] = str(refusal)
    print(f"{name:20s}{refusals[name]}")

# %% [markdown]
# ### The same, faster
#
# `DataLoader` fetches 50 examples by 50 calls and stacks them again. If the examples are rows of one
# tensor, a single indexing operation takes the whole batch. The price is that a transform cannot differ
# from example to example.


# %%
class TensorBatches:
    """Batches of whole tensors, in a new order each epoch if there is a generator, else as stored.

    pictures: (n, ...), labels: (n,). Raises ValueError if the counts differ.
    """

    def __init__(self, pictures, labels, batch_size, generator=None):
        if len(pictures) != len(labels):
            raise ValueError(f"{len(pictures)} pictures but {len(labels)} labels")
        self.pictures = pictures
        self.labels = labels
        self.batch_size = batch_size
        self.generator = generator

    def __iter__(self):
        n = len(self.labels)
        order = torch.arange(n) if self.generator is None else torch.randperm(n, generator=self.generator)
        for chosen in order.split(self.batch_size):
            yield self.pictures[chosen], self.labels[chosen]  # (n, ...) at (B,) -> (B, ...), and (B,)


sampler = Shuffle(len(train_tensors), torch.Generator().manual_seed(0))
rivals = {
    "DataLoader": DataLoader(train_tensors, batch_size, sampler=sampler),
    "TensorBatches": TensorBatches(*train_tensors.tensors, batch_size, torch.Generator().manual_seed(0)),
}
loaded = {name: list(batches) for name, batches in rivals.items()}
for (pictures, labels), (same_pictures, same_labels) in zip(*loaded.values(), strict=True):
    assert torch.equal(pictures, same_pictures) and torch.equal(labels, same_labels)
for name, batches in rivals.items():
    times = []
    for _ in range(3):
        started = time.perf_counter()
        n_batches = sum(1 for _ in batches)
        times.append(time.perf_counter() - started)
    print(f"{name:20s}{1e6 * statistics.median(times) / len(train_tensors):8.2f} µs per picture")

# %% [markdown]
# The same batches in a fraction of the time. Beside a small network this is worth having; beside a large
# one the loader does not matter. (With a network connection,
# `torchvision.datasets.FashionMNIST("data", download=True)` fetches all 70,000 pictures as a `Dataset`
# like ours.)

# %%
assert place_without_assigning == "cpu" and x.device.type == "meta", "x.to(device) alone does nothing"
assert order_recalls["sorted"][-1] > 0.9, "after a sorted epoch the last class is known"
assert (order_recalls["sorted"] < 0.5).sum() >= 5, "after a sorted epoch most earlier classes are forgotten"
assert order_recalls["shuffled"].mean() > 0.7, "after a shuffled epoch they are not"
assert all("damaged" in refusals[name] for name in ("cut short", "empty", "a text file")), "damage is named"
assert "lacks" in refusals["bare weights"], "bare weights are told from a checkpoint"

# %% [markdown]
# ## What to remember
#
# - A dataset answers how many and which one, a sampler orders, a loader collates. Split the files first,
#   and measure mean and spread on the training part.
# - `model.train()` before the training loop, `model.eval()` and `no_grad` for evaluation;
#   `x = x.to(device)`, with the assignment.
# - A checkpoint holds model, optimizer, scheduler, history and _every_ random generator. It is right if
#   the resumed run equals the unbroken one.
# - Choose epoch, rate and model on validation data, from several seeds, beside a baseline. Then open the
#   test set once.
# - Look at the mistakes, not only at their number.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `start`, let dropout set no entries to zero: write `0.0` in place of `0.2`. Which line of the
#    table of left-out entries changes, and to what?
# 2. Leave out `scheduler.step()` (write `pass` in its place). Which of the resumed runs with a missing
#    entry now equal the unbroken one, and why?
# 3. From a blank cell: train the chosen network for 10 epochs on 400 of the training pictures with a
#    training function that you write without looking at `fit`, and compare its validation accuracy with
#    that of the full set.
#
# ## Sources
#
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST: a novel image dataset for benchmarking machine
#   learning algorithms_, 2017: shirts and other tops are the hard classes. Reproduced: "shirts have the
#   lowest recall".
# - X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", _MLSys_ 2021: several
#   seeds, and a choice for each method.
# - PyTorch documentation, _torch.utils.data_, _Reproducibility_ and _Transforms v2_.
