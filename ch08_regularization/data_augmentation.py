# %% [markdown]
# # 8.6 Data augmentation: the same thing, seen again
#
# Show a child one cup, and it knows the cup from the left, from afar and half behind a book. A network
# that saw one picture knows one picture. *Data augmentation* shows it the cup from the left: each image
# comes back a little changed at every step, with its old label. No weight is punished, no unit dropped.
# The data itself keeps the network from learning by heart.
#
# **You will build** shifts, flips, cut-outs, noise, mixup and label smoothing, find one that destroys
# what it should teach, and race them all against dropout, weight decay and the best regularizer there is:
# more real images. **You need** cross-entropy (5.5), dropout (8.1) and weight decay (8.2). **It takes**
# about three quarters of a minute.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# ## On paper first
#
# An image of two rows, $(1, 2, 3)$ and $(4, 5, 6)$. One pixel to the right: $(0, 1, 2)$ and $(0, 4, 5)$,
# what leaves is lost and what enters is empty. Mirrored: $(3, 2, 1)$ and $(6, 5, 4)$. Half and half with
# an empty image: $(\frac12, 1, \frac32)$ and $(2, \frac52, 3)$, and then the label, too, should be half
# and half.

# %%
image = np.array([[1.0, 2, 3], [4, 5, 6]])
right = np.column_stack([np.zeros(2), image[:, :-1]])  # (2, 1), (2, 2) -> (2, 3)
mirrored, half = image[:, ::-1], 0.5 * image + 0.5 * np.zeros((2, 3))
print(right.tolist(), mirrored.tolist(), half.tolist(), sep="\n")
assert right.tolist() == [[0, 1, 2], [0, 4, 5]] and mirrored.tolist() == [[3, 2, 1], [6, 5, 4]]

# %% [markdown]
# ## From scratch
#
# Each image of a batch gets its own change, so every function takes one number an image. For a shift, each
# pixel asks where it came from: row $i$ was row $i - \text{down}$ before. Cutting a window out of a padded
# image, the usual *random crop*, is the same as a shift. A *cut-out* blanks a square, so that the network
# cannot rely on one detail alone.


# %%
def shift(images, down, right):
    """Images (n, h, w), each moved by its own whole numbers of pixels (n,); what enters is zero."""
    n, h, w = images.shape
    rows = np.arange(h) - down[:, None]  # (n, h): where each row comes from
    columns = np.arange(w) - right[:, None]  # (n, w)
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None, :]
    rows, columns = rows.clip(0, h - 1)[:, :, None], columns.clip(0, w - 1)[:, None, :]
    return images[np.arange(n)[:, None, None], rows, columns] * inside  # (n, h, w)


def flip(images, which):
    """Images (n, h, w), those where `which` (n,) is true mirrored left to right."""
    return np.where(which[:, None, None], images[:, :, ::-1], images)


def cut_out(images, top, left, size):
    """Images (n, h, w) with a square of zeros, its upper left corner at top, left (n,)."""
    _, h, w = images.shape
    rows, columns = np.arange(h) - top[:, None], np.arange(w) - left[:, None]  # (n, h), (n, w)
    hole = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None, :]
    return np.where(hole, 0, images)


def add_noise(images, deviation, rng):
    """Images with normal noise added to every pixel, in their own dtype."""
    return images + deviation * rng.standard_normal(images.shape, dtype=images.dtype)


# %% [markdown]
# Two more change the label. *Mixup* lays two images over each other, and asks for both labels in the same
# shares. `change` draws the share from a *beta distribution*, whose draws lie between zero and one, here
# mostly near the ends. Label smoothing (5.5) takes a share $s$ of the label and spreads it over all $K$
# classes: the target is $(1 - s)\, y + s / K$.


# %%
def one_hot(labels, n_classes):
    """Labels (n,) as rows (n, n_classes) of zeros with a one; raises ValueError for a label out of range."""
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels go from {labels.min()} to {labels.max()}, there are {n_classes} classes")
    return np.eye(n_classes, dtype=np.float32)[labels]  # (K, K)[(n,)] -> (n, K)


def mixup(images, targets, share):
    """`share` of each image and target, and the rest of the one before it in the batch (the last first)."""
    return tuple(share * part + (1 - share) * np.roll(part, 1, axis=0) for part in (images, targets))


def smooth_labels(targets, amount):
    """Targets (n, n_classes) with `amount` of their certainty spread over all classes."""
    return (1 - amount) * targets + amount / targets.shape[1]


def change(images, targets, kind, rng):
    """One batch (n, 28, 28) and its targets (n, 10), changed at random in the way that `kind` names."""
    n = len(images)
    if "shift" in kind:
        images = shift(images, rng.integers(-1, 2, n), rng.integers(-1, 2, n))  # one pixel at most
    if "flip" in kind:
        images = flip(images, rng.random(n) < 0.5)
    if "cut-out" in kind:
        places = 28 - 6 + 1  # where a square of 6 fits in
        images = cut_out(images, rng.integers(places, size=n), rng.integers(places, size=n), size=6)
    if "noise" in kind:
        images = add_noise(images, 0.2, rng)
    if "mixup" in kind:
        images, targets = mixup(images, targets, rng.beta(0.4, 0.4))
    return images, smooth_labels(targets, 0.1) if "smoothing" in kind else targets


# %%
batch, targets = train_images[[0, 3]].numpy(), one_hot(train_labels[[0, 3]].numpy(), 10)  # a boot, a dress
both = np.array([1, 1])
gallery = {
    "nothing": (batch, targets),
    "shift": (shift(batch, 2 * both, 3 * both), targets),
    "flip": (flip(batch, both == 1), targets),
    "cut-out": (cut_out(batch, 12 * both, 8 * both, size=8), targets),
    "noise": (add_noise(batch, 0.2, rng), targets),
    "mixup": mixup(batch, targets, 0.6),
}
fig, axes = plt.subplots(2, 6, figsize=(10, 4), layout="constrained")
for column, (kind, (changed, shares)) in zip(axes.T, gallery.items()):
    for ax, picture, row in zip(column, changed, shares):
        ax.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        words = [f"{CLASSES[k]} {row[k]:.2g}" for k in row.argsort()[::-1] if row[k] > 0]
        ax.set(xticks=[], yticks=[], xlabel="\n".join(words))
    column[0].set_title(kind)
fig.suptitle("You would still name each of them")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `torchvision.transforms.v2` has all of these. We give it the parameters that ours had and compare. Its
# noise and its mixup draw their own: for the noise we take the same seed, for mixup we read the share from
# the label it returns.

# %%
tv = v2.functional
x = rng.random((6, 1, 11, 8))  # (n, channel, h, w), as torchvision wants it
images, y = torch.from_numpy(x), torch.tensor([2, 0, 1, 1, 2, 0])
plain = x[:, 0]  # (n, 1, h, w) -> (n, h, w)


def every(number):
    return np.full(6, number)


torch.manual_seed(3)
torch_noisy = tv.gaussian_noise(images, mean=0.0, sigma=0.2, clip=False)
torch.manual_seed(3)
drawn = torch.randn_like(images)
torch_mixed, torch_targets = v2.MixUp(alpha=1.0, num_classes=3)(images, y)
share = float(torch_targets[0, 2])  # image 0 is a 2, the one before it, the last, a 0
mixed, mixed_targets = mixup(plain, one_hot(y.numpy(), 3), share)
pairs = {
    "shift": (shift(plain, every(-3), every(2)), tv.affine(images, 0.0, [2, -3], 1.0, [0.0, 0.0])),
    "crop": (shift(plain, every(1), every(-2)), tv.crop(tv.pad(images, [2, 2]), 1, 4, 11, 8)),
    "flip": (flip(plain, every(True)), tv.horizontal_flip(images)),
    "cut-out": (cut_out(plain, every(2), every(1), 4), tv.erase(images, 2, 1, 4, 4, torch.zeros(1, 4, 4))),
    "noise": (plain + 0.2 * drawn[:, 0].numpy(), torch_noisy),
    "mixup": (mixed, torch_mixed),
    "mixup's targets": (mixed_targets, torch_targets),
}
for name, (ours, theirs) in pairs.items():
    largest = np.abs(ours - theirs.numpy().reshape(ours.shape)).max()
    print(f"{name:20s}largest difference {largest:.1e}")
    assert largest < 1e-6

# %% [markdown]
# For mixed and smoothed targets, cross-entropy takes a row of shares in place of a label. It is linear in
# that row. So mixup's loss is the same mixture of the two losses with whole labels, and label smoothing
# has a switch of its own in PyTorch.

# %%
logits = torch.randn(6, 3, dtype=torch.float64)
whole = one_hot(y.numpy(), 3).astype(np.float64)
mixed_targets = torch.from_numpy(mixup(plain, whole, 0.3)[1])
both = 0.3 * F.cross_entropy(logits, y) + 0.7 * F.cross_entropy(logits, y.roll(1))
torch.testing.assert_close(F.cross_entropy(logits, mixed_targets), both)
smoothed = F.cross_entropy(logits, torch.from_numpy(smooth_labels(whole, 0.1)))
torch.testing.assert_close(smoothed, F.cross_entropy(logits, y, label_smoothing=0.1))
print(f"mixed {both:.6f}, smoothed {smoothed:.6f}")

# %% [markdown]
# ## A change that destroys the label
#
# A mirrored dress is a dress. A mirrored 3 is nothing. Whoever flips digits teaches the network that
# shapes which never occur are 3s, and shapes that should be told apart look more alike. We train a small
# network on digits with and without flips, and then show the one without flips mirrored digits: for which
# of them does it keep its answer?

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
pictures = (digits[:, :64] / 16).reshape(-1, 8, 8).astype(np.float32)  # (1797, 64) -> (1797, 8, 8)
answers = torch.from_numpy(digits[:, 64]).long()  # (1797,)


def train_digits(flips, seed, n_steps=400):
    """A network trained on 600 digits, each flipped with probability one half if `flips`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005, fused=True)
    for _ in range(n_steps):
        batch = rng.integers(600, size=50)
        x = flip(pictures[batch], rng.random(50) < 0.5 * flips)
        loss = F.cross_entropy(model(torch.from_numpy(x)), answers[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def predict(model, images):
    """The class of each image (n, h, w), a tensor (n,)."""
    with torch.no_grad():
        return model(torch.from_numpy(np.ascontiguousarray(images))).argmax(dim=1)


models = {(flips, seed): train_digits(flips, seed) for flips in (False, True) for seed in range(3)}
rest, rest_answers = pictures[600:], answers[600:]
digit_accuracy = {
    key: (predict(model, rest) == rest_answers).float().mean().item() for key, model in models.items()
}
without, with_flips = (np.mean([digit_accuracy[flips, seed] for seed in range(3)]) for flips in (False, True))
print(f"test accuracy on digits: {without:.3f} without flips, {with_flips:.3f} with flips")
kept = predict(models[False, 0], rest) == predict(models[False, 0], rest[:, :, ::-1])  # (1197,) booleans
kept = np.array([kept[rest_answers == digit].float().mean() for digit in range(10)])  # (10,)
print("answer kept when mirrored: " + "  ".join(f"{digit}: {share:.2f}" for digit, share in enumerate(kept)))
assert with_flips < without - 0.01 and kept[0] > 0.7 and kept[8] > 0.4 and max(kept[3], kept[7]) < 0.2

# %%
fig = plt.figure(figsize=(10, 4), layout="constrained")
left, right = fig.subfigures(1, 2)
for row, mirror in zip(left.subplots(2, 4), (False, True)):
    for ax, digit in zip(row, (0, 8, 3, 7)):
        picture = pictures[int((answers == digit).nonzero()[0])]
        ax.imshow(picture[:, ::-1] if mirror else picture, cmap="gray_r")
        ax.set(xticks=[], yticks=[], title=f"{digit}, mirrored" if mirror else f"{digit}")
ax = right.subplots()
ax.bar(range(10), kept, color="C0", edgecolor="0.2")
ax.set(xticks=range(10), xlabel="digit", ylabel="share of answers kept when mirrored", ylim=(0, 1))
ax.set_title("Mirrored, a 0 is still a 0, a 3 is no 3")
plt.show()

# %% [markdown]
# ## The race
#
# A thousand clothes, one network, one budget of steps. Every entry runs on the same seeds, with the same
# images and first weights. Some of them change the data, two change the training (dropout, weight decay),
# one changes both, and the last two have what everybody wants: twice and four times as many images. To
# save time, the network sees the mean of every four pixels; the changes come before that.


# %%
def race(kind, seed, n_train=1000, n_steps=800, batch_size=100, learning_rate=8e-3):
    """Test accuracy of a network trained on n_train images with the changes and cures that `kind` names."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    dropout, small = nn.Dropout(0.3 if "dropout" in kind else 0.0), (nn.AvgPool2d(2), nn.Flatten())
    model = nn.Sequential(*small, nn.Linear(196, 256), nn.ReLU(), dropout, nn.Linear(256, 10))
    chosen = torch.randperm(5000)[:n_train]
    x, targets = train_images[chosen].numpy(), one_hot(train_labels[chosen].numpy(), 10)
    decay = 0.5 if "decay" in kind else 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=decay, fused=True)
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / n_steps)
        batch = rng.integers(n_train, size=batch_size)
        images, wanted = map(torch.from_numpy, change(x[batch], targets[batch], kind, rng))
        loss = F.cross_entropy(model(images.float()), wanted.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (predict(model.eval(), test_images.numpy()) == test_labels).float().mean().item()


entries = ("nothing", "shift", "flip", "cut-out", "noise", "mixup", "smoothing", "dropout", "weight decay")
entries += ("shift and dropout",)
n_seeds = 2
results = {entry: [race(entry, seed) for seed in range(n_seeds)] for entry in entries}
for n_train in (2000, 4000):
    results[f"{n_train} images"] = [race("nothing", seed, n_train) for seed in range(n_seeds)]

# %%
means = {entry: np.mean(row) for entry, row in results.items()}
print(f"{'entry':20s}{'test acc.':>12s}" + "".join(f"{f'gain, seed {seed}':>15s}" for seed in range(n_seeds)))
for entry, row in results.items():
    gains = np.subtract(row, results["nothing"])  # (n_seeds,)
    print(f"{entry:20s}{means[entry]:12.3f}" + "".join(f"{gain:+15.3f}" for gain in gains))
sizes = np.array([1000, 2000, 4000])
curve = [means["nothing"], means["2000 images"], means["4000 images"]]
worth = np.exp(np.interp(means["shift"], curve, np.log(sizes))) - 1000
print(f"shifting was worth about {worth:.0f} further images")
assert curve[0] < curve[1] < curve[2] and curve[0] + 0.01 < means["shift"] < curve[2] and worth > 150

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=(3, 2))
order = sorted(results, key=means.get)
for place, entry in enumerate(order):
    color, marker = ("C0", "s") if "images" in entry else ("C1", "o")
    left.plot(results[entry], [place] * n_seeds, marker, color=color, markerfacecolor="none")
    left.plot(means[entry], place, "|", color="black", markersize=14)
left.axvline(means["nothing"], color="0.7", linewidth=0.8, zorder=0)
left.set(yticks=range(len(order)), yticklabels=order, xlabel="test accuracy (line: mean)")
left.set_title("Shifting helps, real images help more")
right.semilogx(sizes, curve, "s-", color="C0", label="real images")
right.plot(1000, means["shift"], "o", color="C1", label="1000 images, shifted")
right.plot([1000, 1000 + worth], [means["shift"]] * 2, ":", color="C1")
right.set(xticks=sizes, xticklabels=sizes, xlabel="real images", ylabel="test accuracy")
right.minorticks_off()
right.set_title(f"Shifting is worth some {round(worth, -2):.0f} images")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# Two seeds are few, and the small differences in the table are noise. Shifting stands out from it, and
# so do real images. Clothes in this collection are centred to the pixel or nearly so, and a shift says
# what a network cannot know by itself: a shirt one pixel further down is the same shirt. Now compare the
# row of shift and dropout together with the two alone. Regularizers need not add up.
#
# ## What to remember
#
# - Change the images at every step in ways that do not change what they are, and the data regularizes.
# - Which changes those are depends on the task: flips are fine for clothes and ruin digits.
# - Mixup and label smoothing change the targets, too; cross-entropy takes shares in place of labels.
# - The worth of an augmentation can be counted in real images. Regularizers need not add up.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Shift by up to three pixels. Does it help more?
# 2. Race with `n_train=300` and `n_steps=200`. Does shifting still pay?
# 3. Flip the clothes upside down as well. Which classes suffer?
#
# ## Sources
#
# - P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks applied to visual
#   document analysis", ICDAR 2003: shifts and distortions of digits.
# - H. Zhang, M. Cisse, Y. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
# - T. DeVries, G. Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
# - C. Szegedy and others, "Rethinking the Inception architecture", CVPR 2016, section 7: label smoothing.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017; E. Alpaydin, C. Kaynak, UCI, 1998: the data.
