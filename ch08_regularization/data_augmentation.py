# %% [markdown]
# # 8.6 Data augmentation: changed images that keep their label
#
# A shirt that is photographed a little further to the left is still a shirt. You know that, but a network
# that has only seen shirts in one place does not. *Data augmentation* teaches it: in each step every
# training image is changed at random, in a way that does not change what it shows, and keeps its label.
# So the network never sees exactly the same image twice and has a harder time learning the images by
# heart. Practically every network for images or sound is trained like this, because new images are
# expensive and changed ones cost nothing.
#
# **You will build** shifts, flips and cut-outs for whole batches, compare them with torchvision, put a
# chain of random changes into a `Dataset`, find a change that makes a label wrong, and measure what
# augmentation is worth beside dropout, weight decay and more real images. **You need** transforms and
# datasets (4.4), dropout (8.1), weight decay (8.2) and, for "Going further", label smoothing (5.5). **It
# takes** about 40 seconds.

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

HERE = Path(globals().get("__file__", "")).parent
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    pictures = archive["train_images"].astype(np.float32) / 255  # (5000, 28, 28)
    kinds = archive["train_labels"].astype(np.int64)  # (5000,)
    test_pictures = archive["test_images"].astype(np.float32) / 255  # (1000, 28, 28)
    test_kinds = archive["test_labels"].astype(np.int64)  # (1000,)

# %% [markdown]
# ## On paper first
#
# An image has two rows of three pixels. If it is shifted by one pixel to the right, the last column is
# lost and zeros enter on the left. If it is flipped, each row is read from right to left. A cut-out sets
# a square to zero, here of one pixel, the middle one of the first row.
#
# $$\begin{pmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \end{pmatrix}
#   \to \text{shifted} \begin{pmatrix} 0 & 1 & 2 \\ 0 & 4 & 5 \end{pmatrix}, \quad
#   \text{flipped} \begin{pmatrix} 3 & 2 & 1 \\ 6 & 5 & 4 \end{pmatrix}, \quad
#   \text{cut out} \begin{pmatrix} 1 & 0 & 3 \\ 4 & 5 & 6 \end{pmatrix}$$
#
# Which of the three could turn an image of one class into an image of another? That depends on the
# classes, and we shall meet an example.
#
# ## From scratch
#
# Each image of a batch gets a change of its own, so the functions take one number for each image. To
# shift an image we ask for every pixel where it came from: row $i$ of the result was row $i -
# \text{down}$ of the image. A *random crop*, which pads an image with zeros and cuts a window of the old
# size out of it, is the same as a shift.


# %%
def shift(images, down, right):
    """Images (n, h, w), each moved by its own whole numbers of pixels (n,); what enters is zero."""
    n, h, w = images.shape
    rows = np.arange(h) - down[:, None]  # (n, h): the row that each row comes from
    columns = np.arange(w) - right[:, None]  # (n, w)
    rows_inside = (rows >= 0) & (rows < h)  # (n, h)
    columns_inside = (columns >= 0) & (columns < w)  # (n, w)
    inside = rows_inside[:, :, None] & columns_inside[:, None, :]  # (n, h, 1) & (n, 1, w) -> (n, h, w)
    rows = rows.clip(0, h - 1)
    columns = columns.clip(0, w - 1)
    # one index array per axis, of shapes (n, 1, 1), (n, h, 1) and (n, 1, w): they broadcast to (n, h, w)
    moved = images[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.where(inside, moved, 0).astype(images.dtype)


def flip(images, which):
    """Images (n, h, w), of which those where `which` (n,) is true are mirrored left to right."""
    return np.where(which[:, None, None], images[:, :, ::-1], images)


def cut_out(images, top, left, size):
    """Images (n, h, w), each with a square of zeros whose upper left corner is at top, left (n,)."""
    _, h, w = images.shape
    rows = np.arange(h) - top[:, None]  # (n, h): rows below the square's first one
    columns = np.arange(w) - left[:, None]  # (n, w)
    in_rows = (rows >= 0) & (rows < size)  # (n, h)
    in_columns = (columns >= 0) & (columns < size)  # (n, w)
    hole = in_rows[:, :, None] & in_columns[:, None, :]  # (n, h, w)
    return np.where(hole, 0, images).astype(images.dtype)


def augment(images, rng, max_shift=0, flip_share=0.0, hole=0):
    """Images (n, h, w), each shifted by up to `max_shift` pixels, flipped with the probability `flip_share`,
    and with a square hole of this size in it, all drawn from `rng`; what is zero is left out."""
    n, h, w = images.shape
    if max_shift:
        down, right = rng.integers(-max_shift, max_shift + 1, size=(2, n))
        images = shift(images, down, right)
    if flip_share:
        images = flip(images, rng.random(n) < flip_share)
    if hole:
        images = cut_out(images, rng.integers(h - hole + 1, size=n), rng.integers(w - hole + 1, size=n), hole)
    return images


# %%
CHANGES = {
    "as they are": {},
    "shift": {"max_shift": 2},
    "flip": {"flip_share": 1.0},
    "cut-out": {"hole": 8},
    "all three": {"max_shift": 2, "flip_share": 0.5, "hole": 8},
}
shown = [int(np.flatnonzero(kinds == k)[0]) for k in (0, 3, 7, 8)]
fig, axs = plt.subplots(4, 5, figsize=(10, 8.4), layout="constrained")
for column, (name, changes) in zip(axs.T, CHANGES.items()):
    changed = augment(pictures[shown], np.random.default_rng(1), **changes)
    for ax, image, i in zip(column, changed, shown):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], xlabel=CLASSES[kinds[i]])
    column[0].set_title(name)
fig.suptitle("Four images of clothes, changed at random")
plt.show()

# %% [markdown]
# You would still name each of them, and that is the condition that an augmentation has to meet. The shoe
# now points the other way, the bag has lost a corner, and all of them are still what their label says.
#
# ## The same in PyTorch
#
# The module `torchvision.transforms.v2` has all of these, also the crop, which should equal a shift. We
# give its functions the same numbers as ours. Its images have a channel axis, $(n, 1, h, w)$. The first
# three lines print the example of the paper section.

# %%
paper_image = np.array([[[1.0, 2, 3], [4, 5, 6]]])  # (1, 2, 3)
print("shifted", shift(paper_image, np.array([0]), np.array([1]))[0].tolist())
print("flipped", flip(paper_image, np.array([True]))[0].tolist())
print("cut out", cut_out(paper_image, np.array([0]), np.array([1]), 1)[0].tolist())

check_images = np.random.default_rng(0).random((6, 11, 8))
torch_images = torch.from_numpy(check_images)[:, None]  # (n, h, w) -> (n, 1, h, w)
every = np.ones(6, dtype=int)
pairs = {
    "shift": (
        shift(check_images, -3 * every, 2 * every),
        v2.functional.affine(torch_images, angle=0.0, translate=[2, -3], scale=1.0, shear=[0.0, 0.0]),
    ),
    "crop after padding": (
        shift(check_images, 1 * every, -2 * every),
        v2.functional.crop(v2.functional.pad(torch_images, [2, 2]), top=1, left=4, height=11, width=8),
    ),
    "flip": (flip(check_images, every == 1), v2.functional.horizontal_flip(torch_images)),
    "cut-out": (
        cut_out(check_images, 2 * every, 1 * every, 4),
        v2.functional.erase(torch_images, 2, 1, 4, 4, v=torch.zeros(1, 4, 4)),
    ),
}
for name, (ours, theirs) in pairs.items():
    print(f"{name:20s}largest difference {np.abs(ours - theirs[:, 0].numpy()).max():.1e}")
    np.testing.assert_allclose(ours, theirs[:, 0].numpy(), rtol=1e-10, atol=1e-12)

# %% [markdown]
# In a project the transforms are put together with `v2.Compose` and given to the dataset (4.4). Each time
# an example is fetched, its transform draws new random numbers. The training set gets the random
# transforms, and the validation and test sets get none, because there one wants to know what the network
# says about the images as they are. Two datasets over the same images, one for each purpose, keep this
# apart.


# %%
class Pictures(Dataset):
    """(image (1, 28, 28) after the transform, label) from arrays (n, 28, 28) and (n,)."""

    def __init__(self, images, labels, transform):
        self.images = torch.from_numpy(images)[:, None]  # (n, 28, 28) -> (n, 1, 28, 28)
        self.labels = torch.from_numpy(labels)
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.labels[index]


train_transform = v2.Compose(
    [
        v2.RandomCrop(28, padding=2),  # what we call a shift by up to two pixels
        v2.RandomHorizontalFlip(p=0.5),
        v2.RandomErasing(p=0.5, scale=(0.02, 0.1)),  # a rectangle of 2 to 10 % of the image
    ]
)
train_set = Pictures(pictures[:1000], kinds[:1000], train_transform)
valid_set = Pictures(pictures[1000:2000], kinds[1000:2000], v2.Identity())
torch.manual_seed(0)
twice = [train_set[0][0] for _ in range(2)]
valid_twice = [valid_set[0][0] for _ in range(2)]
print(f"training image 0, fetched twice: {(twice[0] != twice[1]).sum().item()} of 784 pixels differ")
print(f"validation image 0, fetched twice: {(valid_twice[0] != valid_twice[1]).sum().item()} differ")

# %% [markdown]
# The training image has changed between the two fetches, and the validation image has not. Our own
# functions draw for each image of a batch, and for small images they are much faster (see "Going
# further"), which is why we train with them.
#
# ## A change that spoils the label
#
# A flipped dress is a dress, but is a flipped 3 a 3? We train a small network on 600 digits, with and
# without flips, four seeds each, and look at its accuracy on the other digits. Which digits still look
# like themselves in a mirror? We show mirrored digits to the networks that were trained without flips, and
# count how often they give the same answer as for the digit itself.

# %%
digit_rows = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
digit_images = (digit_rows[:, :64] / 16).reshape(-1, 8, 8).astype(np.float32)  # (1797, 64) -> (1797, 8, 8)
digit_labels = torch.from_numpy(digit_rows[:, 64].astype(np.int64))  # (1797,)
N_SEEDS = 4
FLIP_SHARES = (0.0, 0.5)


@torch.no_grad()
def predict(model, images):
    """The class of each image (n, h, w), an array (n,), as a tensor (n,)."""
    model.eval()
    return model(torch.from_numpy(np.ascontiguousarray(images))).argmax(dim=1)


def train_digits(flip_share, seed, n_steps=400):
    """A network trained on the first 600 digits, each flipped with this probability."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(n_steps):  # a toy: batches are drawn directly
        batch = rng.integers(600, size=50)
        x = augment(digit_images[batch], rng, flip_share=flip_share)
        loss = F.cross_entropy(model(torch.from_numpy(x)), digit_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


# %%
rest = digit_images[600:]
rest_labels = digit_labels[600:]
digit_accuracy = {}
answers_kept = []
threes_as_eights = []
for seed in range(N_SEEDS):
    for flip_share in FLIP_SHARES:
        model = train_digits(flip_share, seed)
        digit_accuracy[flip_share, seed] = (predict(model, rest) == rest_labels).float().mean().item()
        if flip_share == 0:
            mirrored_answers = predict(model, rest[:, :, ::-1])  # (1197,)
            same = predict(model, rest) == mirrored_answers  # (1197,) booleans
            threes_as_eights.append((mirrored_answers[rest_labels == 3] == 8).float().mean().item())
            answers_kept.append([same[rest_labels == d].float().mean().item() for d in range(10)])
answers_kept = np.mean(answers_kept, axis=0)  # (10,)
for flip_share in FLIP_SHARES:
    row = "".join(f"{digit_accuracy[flip_share, seed]:8.3f}" for seed in range(N_SEEDS))
    print(f"flipped with probability {flip_share}: accuracy{row}")
print(f"share of the mirrored 3s that are called an 8: {np.mean(threes_as_eights):.2f}")

fig = plt.figure(figsize=(10, 4), layout="constrained")
left, right = fig.subfigures(1, 2)
for row, mirrored in zip(left.subplots(2, 4), (False, True)):
    for ax, digit in zip(row, (0, 8, 3, 7)):
        image = digit_images[int((digit_labels == digit).nonzero()[0, 0])]
        ax.imshow(image[:, ::-1] if mirrored else image, cmap="gray_r")
        ax.set(xticks=[], yticks=[], title=f"{digit}, mirrored" if mirrored else f"{digit}")
ax = right.subplots()
ax.bar(range(10), answers_kept, color="C0", edgecolor="0.2")
ax.set(xticks=range(10), xlabel="digit", ylabel="share of answers kept", ylim=(0, 1))
ax.set_title("Answers kept when a digit is mirrored")
plt.show()

# %% [markdown]
# On each seed the flips make the network worse, by several points. A mirrored 0 nearly always keeps its
# answer and a mirrored 8 mostly, but a mirrored 3 or 7 hardly ever, because no such shape occurs among the
# digits. Presumably training with flips spends part of the network on shapes that never come, and some of
# them look like other digits: the networks without flips call most of the mirrored 3s an 8. What may be
# changed has to be decided for each task, by somebody who knows what the images show.
#
# ## What is it worth?
#
# We train one network on 1,000 clothes for 800 steps, with one change or regularizer at a time, and for
# comparison on two and four times as many images for the same number of steps. There are four seeds. Runs
# with the same seed share the images and the first weights, so we look at the gain over nothing seed by
# seed (7.7). All are judged on the 1,000 test images, with which nothing was chosen.
#
# The rivals should be at their best, so we chose their strengths beforehand, by the mean accuracy on the
# 1,000 validation images over four other seeds (0 to 3): a dropout of 0.1 out of 0, 0.1, 0.3 and 0.5, and
# a weight decay of 0.3 out of 0.01, 0.1, 0.3 and 1. To save time the network sees the mean of each four
# pixels, and the changes come before that. The images fit into memory and our functions change whole
# batches, so we index the arrays and need no `DataLoader`. Would you expect a shift by a single pixel to
# matter?


# %%
def clothes_network(dropout=0.0):
    """Images (n, 28, 28) to ten logits through one hidden layer with dropout."""
    return nn.Sequential(
        nn.AvgPool2d(2),  # (n, 28, 28) -> (n, 14, 14): the mean of each four pixels, to save time
        nn.Flatten(),
        nn.Linear(196, 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, 10),
    )


def train(seed, n_train=1000, n_steps=800, dropout=0.0, weight_decay=0.01, changes=None):
    """A network trained on n_train images; `changes` are settings of `augment`, None for no change.

    Raises ValueError unless n_train is a multiple of 100 from 100 to 4,000.
    """
    if n_train not in range(100, 4001, 100):
        raise ValueError(f"n_train has to be a multiple of 100 from 100 to 4,000, got {n_train}")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = clothes_network(dropout)
    order = torch.randperm(5000)  # the first 1,000 are the validation images
    chosen = order[1000 : 1000 + n_train].numpy()
    # fused: the whole step in one call, which is faster and gives the same up to rounding
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, weight_decay=weight_decay, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    model.train()
    for step in range(n_steps):
        place = step % (n_train // 100)  # of the batch in its epoch
        if place == 0:  # a new epoch, a new order
            batches = rng.permutation(chosen).reshape(-1, 100)  # (n_train / 100, 100)
        x = augment(pictures[batches[place]], rng, **(changes or {}))
        loss = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(kinds[batches[place]]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return model


# %%
ENTRIES = {
    "nothing": {},
    "shift": {"changes": {"max_shift": 1}},
    "flip": {"changes": {"flip_share": 0.5}},
    "cut-out": {"changes": {"hole": 8}},
    "shift and flip": {"changes": {"max_shift": 1, "flip_share": 0.5}},
    "dropout": {"dropout": 0.1},
    "weight decay": {"weight_decay": 0.3},
    "2000 images": {"n_train": 2000},
    "4000 images": {"n_train": 4000},
}
RACE_SEEDS = range(4, 8)
models = {}
results = {}
print(f"{'entry':20s}{'test acc.':>12s}   gain over nothing, each seed")
for name, settings in ENTRIES.items():
    models[name] = [train(seed, **settings) for seed in RACE_SEEDS]
    correct = [predict(model, test_pictures).numpy() == test_kinds for model in models[name]]
    results[name] = np.mean(correct, axis=1)  # (4,)
    gains = results[name] - results["nothing"]
    print(f"{name:20s}{results[name].mean():12.3f}   " + "".join(f"{gain:+8.3f}" for gain in gains))
means = {name: row.mean() for name, row in results.items()}

by_mean = sorted(results, key=means.get)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, name in enumerate(by_mean):
    color, marker = ("C0", "s") if "images" in name else ("C1", "o")
    ax.plot(results[name], [i] * len(results[name]), marker, color=color, fillstyle="none")
    ax.plot(means[name], i, "|", color="black", markersize=14)
ax.axvline(means["nothing"], color="0.7", linewidth=0.8, zorder=0)
ax.set(yticks=range(len(by_mean)), yticklabels=by_mean, xlabel="test accuracy (stroke: mean)")
ax.set_title(f"Test accuracy, {len(RACE_SEEDS)} seeds each (squares: more real images)")
plt.show()

# %% [markdown]
# Shifting by one pixel gains about a point in the mean of the four seeds. Flips and cut-outs gain less
# than that, too little for four seeds to show, and shift and flip together are hardly better than the
# shift alone. Dropout and weight decay change little here, even at the strengths that validation chose,
# and four seeds cannot tell them from nothing either. Twice as many real images gain on each seed, and
# four times as many gain most of all. So augmentation is what one does with the images one has, and no
# replacement for new ones.
#
# How sure is the shift's gain? With six more seeds it gained each time on the test images, between nothing
# and two and a half points. But when we chose on the validation images, with seeds 0 to 3, it gained about
# a point in the mean and lost with one seed, and dropout and weight decay gained as much there. So do not
# count on this order of the rows with another network or other images. (Presumably shifts help because
# these clothes are centred only roughly, so that the test images are shifted against the training images
# as well. We have not measured that.)
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert not torch.equal(*twice), "a training image differs each time it is fetched"
assert torch.equal(*valid_twice), "a validation image is always the same"
for seed in range(N_SEEDS):
    without, with_flips = (digit_accuracy[share, seed] for share in FLIP_SHARES)
    assert with_flips < without - 0.01, "flips make the digits worse on each seed"
assert answers_kept[0] > 0.9, "a mirrored 0 nearly always keeps its answer"
assert answers_kept[8] > 0.5, "a mirrored 8 mostly keeps its answer"
assert max(answers_kept[[3, 7]]) < 0.15, "a mirrored 3 or 7 hardly ever keeps its answer"
assert np.mean(threes_as_eights) > 0.5, "most of the mirrored 3s are called an 8"
gains = {name: results[name] - results["nothing"] for name in results}
assert gains["shift"].mean() > 0.005, "shifting helps in the mean of four seeds"
for name in ("flip", "cut-out", "dropout", "weight decay"):
    assert abs(gains[name].mean()) < 0.012, f"{name}: no gain that four seeds could show"
assert means["shift and flip"] < means["shift"] + 0.01, "shift and flip are hardly better than the shift"
assert gains["2000 images"].min() > 0, "twice as many images help on each seed"
assert means["4000 images"] > means["nothing"] + 0.02, "four times as many images help by several points"
assert max(means, key=means.get) == "4000 images", "four times as many images help most"

# %% [markdown]
# ## Going further
#
# This can be skipped. The first part changes the labels as well, which lesson 8.7 tries, the second warns
# of a trap in `v2`, and the third compares the times of both ways to augment.
#
# ### Labels that change, too: mixup and label smoothing
#
# *Mixup* lays two images over each other, with shares $\lambda$ and $1 - \lambda$, and takes for a target
# both labels in the same shares. The share is drawn from a *beta distribution*, whose draws lie between 0
# and 1, with the parameters used here mostly near the ends. Label smoothing (5.5) leaves the images alone
# and spreads a little of the label over all classes. Cross-entropy takes such targets in place of labels,
# and because it is linear in the target, mixup's loss should be the same mixture of the two losses with
# whole labels. We check that, and compare with `v2.MixUp`.


# %%
def one_hot(labels, n_classes=10):
    """Labels (n,) as rows (n, n_classes) of zeros with a one; raises ValueError for a label out of range."""
    if len(labels) and (labels.min() < 0 or labels.max() >= n_classes):
        raise ValueError(f"labels go from {labels.min()} to {labels.max()}, there are {n_classes} classes")
    return np.eye(n_classes, dtype=np.float32)[labels]  # (K, K)[(n,)] -> (n, K)


def mixup(images, targets, share):
    """`share` of each image and its target, and the rest of the one before it (of the last for the first)."""
    share = float(share)  # a Python number, unlike NumPy's float64, leaves float32 arrays float32
    mixed_images = share * images + (1 - share) * np.roll(images, 1, axis=0)
    mixed_targets = share * targets + (1 - share) * np.roll(targets, 1, axis=0)
    return mixed_images, mixed_targets


logits = torch.from_numpy(np.random.default_rng(2).normal(size=(6, 3)))
labels = torch.tensor([2, 0, 1, 1, 2, 0])
paper_images = np.random.default_rng(3).random((6, 4, 4))
mixed_images, mixed_targets = mixup(paper_images, one_hot(labels.numpy(), 3).astype(np.float64), 0.3)
mixed_loss = F.cross_entropy(logits, torch.from_numpy(mixed_targets))
mixture = 0.3 * F.cross_entropy(logits, labels) + 0.7 * F.cross_entropy(logits, labels.roll(1))
torch.testing.assert_close(mixed_loss, mixture, rtol=1e-10, atol=1e-12)

torch.manual_seed(0)
torch_mixed, torch_targets = v2.MixUp(alpha=1.0, num_classes=3)(
    torch.from_numpy(paper_images)[:, None], labels
)
share = torch_targets[0, 2].item()  # image 0 is a 2, the one before it, the last, is a 0
ours, our_targets = mixup(paper_images, one_hot(labels.numpy(), 3), share)
np.testing.assert_allclose(ours, torch_mixed[:, 0].numpy(), rtol=1e-6, atol=1e-7)
np.testing.assert_allclose(our_targets, torch_targets.numpy(), rtol=1e-6, atol=1e-7)
print(f"mixed loss {mixed_loss.item():.6f}, mixture of two losses {mixture.item():.6f}; v2.MixUp agrees")

# %% [markdown]
# Both loss values are equal, and the mixed images and targets are those of `v2.MixUp`. With both methods
# the target is less than certain. Are the probabilities of such networks better promises (3.4)? We train
# with each, on the same four seeds, and compare the mean probability of the class that the network names
# with the share of images for which it is right.


# %%
def train_soft(seed, mix=0.0, smoothing=0.0, n_steps=800):
    """As `train` on 1,000 images without changes, but with mixup, label smoothing, or both.

    mix: parameter of the beta distribution of mixup's share, 0 for none.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = clothes_network()
    chosen = torch.randperm(5000)[1000:2000].numpy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, fused=True)  # its decay is 0.01 by default
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    model.train()
    for step in range(n_steps):
        if step % 10 == 0:
            batches = rng.permutation(chosen).reshape(10, 100)
        x = pictures[batches[step % 10]]
        targets = one_hot(kinds[batches[step % 10]])
        if mix:
            x, targets = mixup(x, targets, rng.beta(mix, mix))
        logits = model(torch.from_numpy(x))
        loss = F.cross_entropy(logits, torch.from_numpy(targets), label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return model


@torch.no_grad()
def confidence(model, images):
    """Mean probability of the class that the model names."""
    model.eval()
    return model(torch.from_numpy(images)).softmax(dim=1).max(dim=1).values.mean().item()


models["mixup"] = [train_soft(seed, mix=0.4) for seed in RACE_SEEDS]
models["smoothing"] = [train_soft(seed, smoothing=0.1) for seed in RACE_SEEDS]
too_sure = {}
target_accuracy = {}
print(f"{'entry':20s}{'test acc.':>12s}{'confidence':>12s}")
for name in ("nothing", "shift", "mixup", "smoothing"):
    right = np.array([(predict(m, test_pictures).numpy() == test_kinds).mean() for m in models[name]])
    sure = np.array([confidence(model, test_pictures) for model in models[name]])
    too_sure[name] = sure - right  # (4,)
    target_accuracy[name] = right.mean()
    print(f"{name:20s}{right.mean():12.3f}{sure.mean():12.3f}")

# %% [markdown]
# The network without any of them is too sure of itself, by several points on each seed. With mixup its
# confidence is about its accuracy, and with smoothing it is lower than its accuracy, because the target
# is never higher than 0.91. Neither of them changes the accuracy much here.
#
# ### Whole batches in `v2`
#
# If a transform of `v2` is given a whole batch, do its images move alike, or each by itself? We give a crop
# eight copies of one image, first as a batch and then one by one.

# %%
copies = torch.from_numpy(pictures[:1]).repeat(8, 1, 1)[:, None]  # (1, 28, 28) -> (8, 1, 28, 28)
crop = v2.RandomCrop(28, padding=4)
as_a_batch = crop(copies)
one_by_one = torch.stack([crop(image) for image in copies])
n_different = {
    "as a batch": len(torch.unique(as_a_batch, dim=0)),
    "one by one": len(torch.unique(one_by_one, dim=0)),
}
print("different images of eight:", n_different)

# %% [markdown]
# As a batch, all eight come out the same, because the transform draws only once. So `v2` belongs into the
# dataset, image by image, or into the loop only if one change for each batch is meant.
#
# ### The same, faster
#
# How long does one epoch of augmented images take, image by image in a dataset, and in whole batches with
# our functions?

# %%
started = time.perf_counter()
for _ in DataLoader(train_set, batch_size=100):
    pass
per_image_seconds = time.perf_counter() - started
timing_rng = np.random.default_rng(0)
started = time.perf_counter()
for images in np.split(pictures[:1000], 10):
    augment(images, timing_rng, max_shift=2, flip_share=0.5, hole=8)
batch_seconds = time.perf_counter() - started
print(
    f"1,000 images: image by image {1e3 * per_image_seconds:.0f} ms, in batches {1e3 * batch_seconds:.0f} ms"
)

# %% [markdown]
# In batches it is many times faster, because a few large array operations replace thousands of small
# calls. The price is that all images must have the same size and that the functions have to be written
# for batches. With large photos the image by image form is no obstacle, because other processes can do it
# (`num_workers`, 4.4) while the GPU trains.

# %%
assert n_different["as a batch"] == 1, "on a whole batch, v2 draws only once"
assert n_different["one by one"] > 1, "image by image, v2 draws for each"
assert too_sure["nothing"].min() > 0.03, "without any of them the network is too sure of itself"
assert abs(too_sure["mixup"].mean()) < 0.03, "with mixup its confidence is about its accuracy"
assert too_sure["smoothing"].max() < -0.01, "with smoothing its confidence is lower than its accuracy"
for name in ("mixup", "smoothing"):
    assert abs(target_accuracy[name] - means["nothing"]) < 0.02, f"{name}: about the same accuracy"

# %% [markdown]
# ## What to remember
#
# - Change the training images at random, in each step, in ways that keep their label. Validation and test
#   images stay as they are.
# - Which changes keep the label depends on the task. Flips are fine for clothes and spoil digits.
# - In PyTorch the random transforms belong to the training dataset, image by image. (Applied to a batch,
#   `v2` draws only once.)
# - Here shifts by one pixel gained about a point, flips and cut-outs nothing that four seeds could show,
#   and more real images gained most.
# - Mixup and label smoothing change the targets as well, and make the network less sure of itself.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let the entry "shift" of `ENTRIES` move the images by up to 4 pixels. The clothes fill most of the 28
#    pixels. Does a larger shift help more? Read its line in the table.
# 2. Set `FLIP_SHARES = (0.0, 1.0)`, so that each training digit is flipped. How often will that network
#    be right on digits as they are? The bars of the second figure, which hold the opposite case, allow a
#    prediction. Read the printed accuracies.
# 3. From a blank cell after the one that defines `augment`: write `add_noise(images, deviation, rng)`,
#    which adds normal noise to each pixel and keeps the dtype. The spread of `add_noise(...) -
#    pictures[:100]` should be the deviation that you asked for. Look at eight noisy images: up to which
#    deviation can you still name the clothes?
#
# ## Sources
#
# - P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks applied to
#   visual document analysis", ICDAR 2003: shifts and distortions of digits. Reproduced: "shifting helps
#   in the mean of four seeds".
# - H. Zhang, M. Cisse, Y. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
#   Reproduced: `test_mixup_matches_its_formula`.
# - T. DeVries, G. Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
# - R. Müller, S. Kornblith, G. Hinton, "When does label smoothing help?", NeurIPS 2019: smoothing and
#   confidence. Reproduced: "with smoothing its confidence is lower than its accuracy".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017; E. Alpaydin, C. Kaynak, _Optical recognition of
#   handwritten digits_, UCI, 1998: the data.
