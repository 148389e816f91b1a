# %% [markdown]
# # 10.2 Activation maximization: let the network draw what it wants to see
#
# Lesson 10.1 searched a pile of photos for those that excite a unit. A pile is finite, and each photo
# shows many things at once. Ask for a drawing instead: start from noise and change the pixels, again and
# again, in the direction that excites the unit more. It is training with the roles exchanged: the
# weights stand still and the image learns.
#
# **You will build** gradient ascent on images, raw and with rules that keep it honest; maps of the space
# in which a network compares images: PCA, *t-SNE*, nearest neighbours; and a count of which unit answers
# to which class. **You need** gradients (2.4), SqueezeNet (9.5) and activations (10.1).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models
from torchvision.transforms import functional as TF

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# A unit without bends computes $w \cdot x$. Let $w = (3, 4)$. Of all images with two pixels and length
# one, which excites it most? The one along $w$: $x = (0.6, 0.8)$, with $w \cdot x = 5$. The gradient of
# the score is $w$ wherever we stand, so a step along it and a return to length one must end there.

# %%
w, x = np.array([3.0, 4.0]), np.array([1.0, 0.0])
for _ in range(20):
    x = x + 0.5 * w
    x = x / np.linalg.norm(x)
print(f"image {x}, score {w @ x:.6f}")
np.testing.assert_allclose(x, [0.6, 0.8], rtol=1e-10, atol=1e-12)

# %% [markdown]
# So a linear unit draws its own weights: the pictures of filters in lesson 10.1. For a unit deep inside,
# the gradient changes with the image, and the ascent has to be walked.
#
# ## Gradient ascent on pixels
#
# The step has a fixed size, because gradients of different units differ by orders of magnitude: we divide
# by their root mean square. Pixels stay in their legal range. The rest of the loop is old. `change` is
# for rules that come later.


# %%
def ascend(score, images, n_steps, learning_rate, low, high, change=None):
    """Gradient ascent on images (B, C, H, W), each on its own entry of score(images), (B,).

    After each step `change(images, done)` may alter them, done from 0 to 1; then they are clamped between
    low and high (numbers, or tensors that broadcast). Raises ValueError for a score of another shape.
    """
    for step in range(n_steps):
        images = images.detach().requires_grad_()
        scores = score(images)
        if scores.shape != images.shape[:1]:
            raise ValueError(f"images {tuple(images.shape)} need one score each, got {tuple(scores.shape)}")
        gradient = torch.autograd.grad(scores.sum(), images)[0]
        size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()  # (B, 1, 1, 1)
        images = images.detach() + learning_rate * gradient / (size + 1e-12)
        if change:
            images = change(images, step / n_steps)
        images = images.clamp(low, high)
    return images


# %% [markdown]
# First on a small network of our own, trained on Fashion-MNIST: two convolutions, a hidden layer of $32$
# units and ten scores. The hidden layer is the *penultimate* one, the last before the scores; we will
# return to it.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# The layers stand in one list, so that `model[:-2]` is the network up to the hidden units, before their
# ReLU.

# %%
torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(16 * 49, 32), nn.ReLU(), nn.Linear(32, 10)),
)
n_steps = 400
optimizer = torch.optim.Adam(model.parameters())
for step in range(n_steps):
    optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / n_steps)
    batch = torch.randint(len(train_images), (50,))
    loss = F.cross_entropy(model(train_images[batch, None]), train_labels[batch])  # (50, 1, 28, 28)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval().requires_grad_(False)
before_relu, after_relu = model[:-2], model[:-1]  # images -> the 32 hidden units, before and after the ReLU
test_accuracy = (model(test_images[:, None]).argmax(dim=1) == test_labels).float().mean().item()
print(f"test accuracy {test_accuracy:.1%}")
assert test_accuracy > 0.7

# %% [markdown]
# ## A silent unit has no gradient
#
# Which unit to ask, before its ReLU or after? Take the noise that we start from. Behind the ReLU many
# units are silent there, their gradient is zero, and they would never start to move. Before it, every unit
# says which way is up.

# %%
start = 0.1 * torch.rand(32, 1, 28, 28)
reach = {}
for name, layers in (("before the ReLU", before_relu), ("after the ReLU", after_relu)):
    x = start.clone().requires_grad_()
    own = layers(x).diagonal()  # image 0's unit 0, image 1's unit 1, ...
    gradient = torch.autograd.grad(own.sum(), x)[0]  # (32, 1, 28, 28)
    reach[name] = int((gradient.abs().amax(dim=(1, 2, 3)) > 0).sum())
    print(f"{name:20s}{reach[name]} of 32 units have a gradient on noise")
assert reach["before the ReLU"] == 32 > reach["after the ReLU"]

# %% [markdown]
# Now the ascent, for the ten classes and the hidden units, all at once. The rival is the best of a
# thousand test images. Units that no test image wakes are left out: there is nothing to beat.

# %%
drawn, ratios = {}, {}
live = after_relu(test_images[:, None]).amax(dim=0) > 0  # (32,)
for name, layers in (("classes", model), ("hidden units", before_relu)):
    scores = layers(test_images[:, None])  # (1000, n)
    noise = start[: scores.shape[1]]
    drawn[name] = ascend(lambda x, layers=layers: layers(x).diagonal(), noise, 60, 0.1, 0.0, 1.0)
    reached = layers(drawn[name]).diagonal()  # (n,)
    ratios[name] = reached / scores.amax(dim=0)
ratios["hidden units"] = ratios["hidden units"][live]
for name, values in ratios.items():
    print(
        f"{name:20s}{len(values)} drawn, {values.min():.1f} to {values.max():.1f} times the best test score"
    )
    assert values.min() > 1.05
assert drawn["classes"].min() >= 0 and drawn["classes"].max() <= 1

# %%
favorites = model(test_images[:, None]).argmax(dim=0)  # (10,): the test image that each class likes best
fig, axes = plt.subplots(2, 10, figsize=(10, 2.8), layout="constrained")
for label, (above, below) in enumerate(axes.T):
    above.imshow(test_images[favorites[label]].numpy(), cmap="gray", vmin=0, vmax=1)
    below.imshow(drawn["classes"][label, 0].numpy(), cmap="gray", vmin=0, vmax=1)
    above.set_title(CLASSES[label], fontsize=10)
    below.set_xlabel(f"× {ratios['classes'][label]:.1f}")
    for ax in (above, below):
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("test image")
axes[1, 0].set_ylabel("drawn")
fig.suptitle("No test image excites a class as much as a picture that is hardly a garment")
plt.show()

# %% [markdown]
# These pictures win, and show little. The space of images is vast, and most directions that raise a score
# leave the images that the network was trained on. Lesson 10.5 makes a weapon of that. Here we want to
# learn what the network knows, so we must keep the ascent near images.
#
# ## Three rules
#
# - *Blur*: a little smoothing after each step removes what no neighbour supports.
# - *Jitter*: move the image by a few random pixels before each look. What depends on an exact position
#   dies out.
# - *Decay*: all pixels shrink a little, so that only those stay which the score keeps asking for.
#
# Blur is a convolution with a bell curve, and that splits into one along the rows and one along the
# columns.


# %%
def blur(images, sigma):
    """Gaussian blur of images (B, C, H, W) with standard deviation sigma in pixels, edges reflected.

    Raises ValueError where sigma is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    radius = max(1, round(3 * sigma))
    bell = torch.exp(-(torch.arange(-radius, radius + 1).to(images) ** 2) / (2 * sigma**2))
    bell = bell / bell.sum()  # (2 radius + 1,)
    maps = images.flatten(0, 1)[:, None]  # (B, C, H, W) -> (B C, 1, H, W)
    maps = F.conv2d(F.pad(maps, (radius, radius, 0, 0), mode="reflect"), bell[None, None, None])
    maps = F.conv2d(F.pad(maps, (0, 0, radius, radius), mode="reflect"), bell[None, None, :, None])
    return maps.reshape(images.shape)  # (B C, 1, H, W) -> (B, C, H, W)


def jittered(score, most):
    """The same score, of images rolled by up to `most` pixels, anew at each call."""

    def shaken(images):
        shift = torch.randint(-most, most + 1, (2,)).tolist()
        return score(images.roll(shift, dims=(2, 3)))

    return shaken


x = torch.rand(2, 3, 9, 11, dtype=torch.float64)
torch.testing.assert_close(blur(x, 0.7), TF.gaussian_blur(x, [5, 5], [0.7, 0.7]), rtol=1e-10, atol=1e-12)
rough, smooth = (images.diff(dim=3).abs().mean().item() for images in (x, blur(x, 0.7)))
print(f"neighbouring pixels differ by {rough:.2f}, blurred by {smooth:.2f}")

# %% [markdown]
# ## What does SqueezeNet know?
#
# We ask the ImageNet network of lesson 9.5 for four classes. Its scores pass a last ReLU and an average
# over places; we take the average *before* that ReLU. The images live in the preprocessed scale, so the
# legal range of a pixel is that of black and white after preprocessing.

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
categories = weights_info.meta["categories"]
preprocess = weights_info.transforms()


def pretrained():
    """SqueezeNet 1.1 with the ImageNet weights in data/, in float32, frozen, in evaluation mode."""
    net = models.squeezenet1_1()
    with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
        net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
    return net.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # faster, see 9.6


net = pretrained()
mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
wanted = ("goldfish", "pineapple", "espresso", "daisy")
indices = torch.tensor([categories.index(name) for name in wanted])


def wanted_scores(images):
    """Scores before the last ReLU of images (B, 3, H, W), the i-th for the i-th wanted class: (B,)."""
    maps = net.classifier[1](net.features(images))  # (B, 1000, H', W')
    return maps.mean(dim=(2, 3))[torch.arange(len(images)), indices]  # (B, 1000) -> (B,)


# %% [markdown]
# Raw ascent, and ascent with the three rules, the blur growing weaker as the image settles. A real photo's
# score stands beside them: that of the coffee for espresso.

# %%
torch.manual_seed(0)
noise = 0.01 * torch.randn(4, 3, 128, 128)
limits = -mean / std, (1 - mean) / std  # black and white, each (3, 1, 1)
pictures = {"raw": ascend(wanted_scores, noise, 30, 0.3, *limits)}


def soften(images, done):
    """Decay, and a blur that weakens as `done` goes from 0 to 1."""
    return blur(0.995 * images, 1.2 - 0.7 * done)


pictures["with rules"] = ascend(jittered(wanted_scores, 8), noise, 60, 0.3, *limits, change=soften)
coffee = preprocess(torch.from_numpy(plt.imread(HERE / "data" / "coffee.jpg").copy()).permute(2, 0, 1))
maps = net.classifier[1](net.features(coffee[None]))  # (1, 3, 224, 224) -> (1, 1000, 13, 13)
photo_score = maps.mean(dim=(2, 3))[0, categories.index("espresso")].item()

# %% [markdown]
# How noisy is a picture? In a photo a pixel resembles the next one; the correlation of neighbours measures
# it. Noise has none.


# %%
def neighbor_correlation(images):
    """Correlation of each pixel with the one to its right, over all of images (B, C, H, W)."""
    pairs = torch.stack([images[..., :-1].flatten(), images[..., 1:].flatten()])  # (2, n)
    return torch.corrcoef(pairs)[0, 1].item()


scores = {name: wanted_scores(images) for name, images in pictures.items()}
smoothness = {name: neighbor_correlation(images) for name, images in pictures.items()}
smoothness["coffee"] = neighbor_correlation(coffee[None])
print(f"espresso score of the photo: {photo_score:.0f}")
print(f"{'ascent':20s}{'neighbours':>12s}" + "".join(f"{name:>12s}" for name in wanted))
for name, values in scores.items():
    print(f"{name:20s}{smoothness[name]:12.2f}" + "".join(f"{value:12.0f}" for value in values))
assert smoothness["raw"] < 0.4 and smoothness["with rules"] > 0.6
assert all(values[2] > photo_score for values in scores.values())

# %%
fig, axes = plt.subplots(2, 4, figsize=(10, 5.6), layout="constrained")
for row, (name, images) in zip(axes, pictures.items()):
    for ax, image, category in zip(row, images, wanted):
        ax.imshow((image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
        ax.set(xticks=[], yticks=[], title=category)
    row[0].set_ylabel(name)
fig.suptitle("Raw ascent finds noise; blur, jitter and decay let shapes come through")
plt.show()

# %% [markdown]
# Both drawings of an espresso score higher than the photo of one, and only the second row tells us
# something: the network has an idea of eyes and scales, of a crown of leaves. The rules are *our* wish.
# They say what an image is, and the network fills in the rest. How much of the picture is which, nobody
# can tell.
#
# ## Where do images stand?
#
# Now from single units to all of them together. The penultimate layer turns an image into $32$ numbers: a
# point. What lies next to what? Compare with pixels, where an image is a point in $784$ dimensions. A
# neighbour is good if it wears the same label.


# %%
def squared_distances(points):
    """All pairs of points (n, d): (n, n), zero on the diagonal."""
    lengths = (points * points).sum(axis=1)
    out = np.maximum(lengths[:, None] + lengths - 2 * points @ points.T, 0)  # (n, d) @ (d, n) -> (n, n)
    np.fill_diagonal(out, 0)
    return out


def neighbors(points, k):
    """Indices of the k nearest other points, nearest first: (n, k)."""
    distances = squared_distances(points)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def agreement(points, labels, k=5):
    """Share of the k nearest neighbours that have the point's own label, over points (n, d), labels (n,).

    Raises ValueError where points and labels differ in number.
    """
    if len(points) != len(labels):
        raise ValueError(f"points have shape {points.shape} but labels {labels.shape}")
    return float(np.mean(labels[neighbors(points, k)] == labels[:, None]))


# %% [markdown]
# The features are those of the test images, which the network has not been trained on.

# %%
pixels = test_images.flatten(1).double().numpy()  # (1000, 28, 28) -> (1000, 784)
features = after_relu(test_images[:, None]).double().numpy()  # (1000, 32)
labels = test_labels.numpy()
shares = {"pixels": agreement(pixels, labels), "features": agreement(features, labels)}
print(
    "same label among the five nearest: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
)
assert shares["features"] > shares["pixels"] + 0.01

# %% [markdown]
# The gain is modest in the mean, because most clothes of a kind are alike in their pixels already, and
# clear where silhouettes mislead. Here is the image for which the two spaces disagree most.

# %%
near = {"pixels": neighbors(pixels, 5), "features": neighbors(features, 5)}
good = {name: (labels[found] == labels[:, None]).sum(axis=1) for name, found in near.items()}  # (1000,)
query = int(np.argmax(good["features"] - good["pixels"]))
fig, axes = plt.subplots(2, 6, figsize=(10, 4), layout="constrained")
for row, (name, found) in zip(axes, near.items()):
    for ax, image in zip(row, [query, *found[query]]):
        ax.imshow(test_images[image].numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=CLASSES[labels[image]])
    row[0].set_ylabel(f"by {name}")
fig.suptitle("The first image, then its neighbours: by pixels the silhouette counts, by features the kind")
plt.show()

# %% [markdown]
# ## A map of the space: PCA
#
# To see $32$ dimensions we need two. *Principal component analysis* looks from the side where the cloud is
# widest: the direction of largest variance, then the largest at right angles to it. They are eigenvectors
# (2.4) of the covariance matrix (2.8)
#
# $$C = \frac{1}{n} \sum_i (x_i - \bar x)(x_i - \bar x)^\top, \qquad C v = \lambda v ,$$
#
# and $\lambda$ is the variance along $v$. The check is the *singular value decomposition*, which takes
# apart the table of points itself and finds the same directions without ever forming $C$; only their signs
# are free.


# %%
def principal_components(points, k):
    """The k widest directions (k, d) of points (n, d) and the variances along them (k,), widest first."""
    centred = points - points.mean(axis=0)
    covariance = centred.T @ centred / len(points)  # (d, n) @ (n, d) -> (d, d)
    variances, directions = np.linalg.eigh(covariance)  # rising
    return directions[:, ::-1].T[:k], variances[::-1][:k]


cloud, cloud_labels = features[:500], labels[:500]
directions, variances = principal_components(cloud, 2)
centred = cloud - cloud.mean(axis=0)
flat = centred @ directions.T  # (500, 32) @ (32, 2) -> (500, 2)
_, singular, others = np.linalg.svd(centred, full_matrices=False)
np.testing.assert_allclose(variances, singular[:2] ** 2 / len(cloud), rtol=1e-10)
np.testing.assert_allclose(np.abs((directions * others[:2]).sum(axis=1)), 1, rtol=1e-10)
kept = variances.sum() / (singular**2).sum() * len(cloud)
print(f"two directions keep {kept:.0%} of the variance")
assert 0.3 < kept < 0.95

# %% [markdown]
# ## A map that keeps neighbours: t-SNE
#
# PCA keeps large distances and lets clouds overlap. *t-SNE* gives up on distances and asks for one thing
# only: who is near stays near. In the high space, turn distances into probabilities of being picked as a
# neighbour, with a bell curve around each point:
#
# $$p_{j|i} \propto e^{-\beta_i \lVert x_i - x_j \rVert^2}, \qquad p_{ij} = \frac{p_{j|i} + p_{i|j}}{2n} .$$
#
# Each point chooses its own $\beta_i$ so that it has about equally many neighbours. That number, $e^{H}$
# for the entropy $H$ of its probabilities (2.8), is the *perplexity*. A larger $\beta$ means fewer, so
# halving an interval finds it, for all points side by side.


# %%
def neighbor_probabilities(points, perplexity):
    """p(j|i) for points (n, d): (n, n), each row summing to one with entropy log(perplexity).

    Raises ValueError unless 1 < perplexity < n - 1.
    """
    n = len(points)
    if not 1 < perplexity < n - 1:
        raise ValueError(f"perplexity must lie between 1 and {n - 1}, got {perplexity}")
    distances = squared_distances(points)
    distances /= distances.mean()  # only ratios matter; this keeps beta in range
    np.fill_diagonal(distances, np.inf)
    distances -= distances.min(axis=1, keepdims=True)  # the same p, and the largest term is one
    np.fill_diagonal(distances, 0)
    beta, low, high = np.ones(n), np.zeros(n), np.full(n, np.inf)
    for _ in range(60):
        p = np.exp(-distances * beta[:, None])
        np.fill_diagonal(p, 0)
        total = p.sum(axis=1)
        entropy = np.log(total) + beta * (p * distances).sum(axis=1) / total
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), 2 * beta, (low + high) / 2)
    return p / total[:, None]


# %% [markdown]
# The check: the entropy of each row, computed anew from its probabilities, for the first 500 test images.

# %%
conditional = neighbor_probabilities(cloud, perplexity=30)
entropies = -np.sum(conditional * np.log(np.where(conditional > 0, conditional, 1)), axis=1)
print(f"perplexities from {np.exp(entropies).min():.6f} to {np.exp(entropies).max():.6f}")
np.testing.assert_allclose(np.exp(entropies), 30, rtol=1e-6)

# %% [markdown]
# On the flat map nearness has a longer tail, that of *Student's t* (7.7), hence the name: in a plane
# there is less room for neighbours, and the tail lets the others move away. With
# $w_{ij} = 1 / (1 + \lVert y_i - y_j \rVert^2)$ and $q_{ij} = w_{ij} / \sum w$, move the points to make
# $q$ like $p$. The gap is the *Kullback-Leibler divergence*, cross-entropy less entropy (2.8):
#
# $$L = \sum_{i \ne j} p_{ij} \log \frac{p_{ij}}{q_{ij}}, \qquad
#   \frac{\partial L}{\partial y_i} = 4 \sum_j (p_{ij} - q_{ij})\, w_{ij}\, (y_i - y_j) .$$
#
# Read it as springs: each pair pulls by $p$, pushes by $q$.


# %%
def tsne_gradient(p, y):
    """The Kullback-Leibler divergence (nats) of the map y (n, 2) from p (n, n), and its gradient (n, 2)."""
    w = 1 / (1 + squared_distances(y))
    np.fill_diagonal(w, 0)
    q = w / w.sum()
    off = p > 0
    loss = np.sum(p[off] * np.log(p[off] / q[off]))
    springs = (p - q) * w  # (n, n)
    return loss, 4 * (springs.sum(axis=1)[:, None] * y - springs @ y)  # (n, n) @ (n, 2) -> (n, 2)


# %% [markdown]
# Autograd must agree, on twenty points.

# %%
p = (conditional + conditional.T) / (2 * len(cloud))
few = p[:20, :20] / p[:20, :20].sum()
y = torch.from_numpy(flat[:20]).requires_grad_()  # (20, 2)
w = 1 / (1 + (y[:, None] - y).square().sum(dim=2))  # (20, 1, 2) - (20, 2) -> (20, 20)
off = ~torch.eye(20, dtype=torch.bool)
target = torch.from_numpy(few)[off]  # (380,)
torch_loss = (target * (target / (w[off] / w[off].sum())).log()).sum()
theirs = torch.autograd.grad(torch_loss, y)[0]
loss, ours = tsne_gradient(few, flat[:20])
print(f"loss {loss:.4f}, largest difference from autograd {np.abs(ours - theirs.numpy()).max():.1e}")
np.testing.assert_allclose(loss, torch_loss.item(), rtol=1e-10)
np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Then momentum (7.2), from a tiny copy of the PCA map. For the first steps all pulls are made stronger,
# *early exaggeration*: groups gather while the map is small enough for them to pass through each other.


# %%
def tsne(p, start, n_steps=300, learning_rate=100.0, exaggeration=12.0, n_early=60):
    """A map (n, 2) for the symmetric p (n, n), from start (n, 2), and the loss at each step."""
    y, velocity, losses = start.copy(), np.zeros_like(start), []
    for step in range(n_steps):
        early = step < n_early
        loss, gradient = tsne_gradient(exaggeration * p if early else p, y)
        losses.append(loss / exaggeration - np.log(exaggeration) if early else loss)  # without it
        velocity = (0.5 if early else 0.8) * velocity - learning_rate * gradient
        y = y + velocity
    return y, losses


# %% [markdown]
# How good are the maps? The same question as before: do neighbours on the map share a label?

# %%
tsne_map, tsne_losses = tsne(p, 0.01 * flat / flat[:, 0].std())
maps_agree = {
    "features, 32-d": agreement(cloud, cloud_labels),
    "PCA, 2-d": agreement(flat, cloud_labels),
    "t-SNE, 2-d": agreement(tsne_map, cloud_labels),
}
print(f"loss {tsne_losses[0]:.2f} to {tsne_losses[-1]:.2f} nats")
for name, share in maps_agree.items():
    print(f"{name:20s}same label among the five nearest {share:.1%}")
assert tsne_losses[-1] < tsne_losses[0] / 2
assert maps_agree["t-SNE, 2-d"] > maps_agree["PCA, 2-d"] + 0.05

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for ax, points, name in zip(axes, (flat, tsne_map), ("PCA", "t-SNE")):
    for label, marker in enumerate("o^sDv<>XP*"):
        some = points[cloud_labels == label]
        ax.scatter(*some.T, marker=marker, s=18, alpha=0.8, label=CLASSES[label] if name == "PCA" else None)
    ax.set(xticks=[], yticks=[], title=name)
fig.legend(loc="outside right center")
fig.suptitle("PCA lets kinds overlap; t-SNE keeps neighbours together")
plt.show()

# %% [markdown]
# Read a t-SNE map with care. Near means near; *far* means nothing, and neither do the size of a group or
# the empty space between groups. It also has no formula for a new point. Use it to look, not to
# measure.
#
# ## Which unit answers to what?
#
# *Network dissection* compares where a unit is active with where a concept is present. In small, with
# images for places and classes for concepts: a unit's *on* set is its most active tenth of the images. How
# much of it is trousers? With sets $A$ and $B$, *intersection over union* is $|A \cap B| / |A \cup B|$:
# one if they are the same, zero if they share nothing.


# %%
def dissect(activations, labels, n_classes=10, share=0.1):
    """Intersection over union of each unit's most active images with each class: (units, n_classes).

    activations: (n, units), labels: (n,) integers. A unit that is never above zero has zeros.
    """
    on = activations > np.maximum(np.quantile(activations, 1 - share, axis=0), 0)  # (n, units)
    member = labels[:, None] == np.arange(n_classes)  # (n, n_classes)
    both = on.T.astype(float) @ member  # (units, n) @ (n, n_classes) -> (units, n_classes)
    return both / (on.sum(axis=0)[:, None] + member.sum(axis=0) - both)


overlap = dissect(features, labels)  # (32, 10)
favorite, strength = overlap.argmax(axis=1), overlap.max(axis=1)  # each (32,)
order = [unit for unit in np.argsort(-strength, kind="stable") if live[unit]]
print(f"{len(order)} of 32 units are live")
assert strength[order[0]] > 0.4

# %% [markdown]
# Does a unit that *answers* to a class also *matter* for it? Switch units off, set them to zero, and see
# which classes suffer. First the clearest units one at a time, then all units of one favourite class
# together.


# %%
def recall_without(units):
    """Share of each class that the last layer still gets right with these hidden units at zero: (10,)."""
    silenced = torch.from_numpy(features).float()  # a copy, (1000, 32)
    silenced[:, units] = 0
    right = (model[-1](silenced).argmax(dim=1) == test_labels).double()  # (1000, 32) -> (1000,)
    return np.array([right[test_labels == label].mean().item() for label in range(10)])


intact = recall_without([])
alone = []
print(f"{'unit':20s}{'overlap':>12s}{'lost alone':>12s}")
for unit in order[:5]:
    alone.append((intact - recall_without([unit]))[favorite[unit]])
    print(f"{f'{unit} {CLASSES[favorite[unit]]}':20s}{strength[unit]:12.2f}{alone[-1]:12.1%}")
assert min(alone) < 0.05

# %% [markdown]
# The overlap does not tell the loss. A unit may answer to a class so clearly that it could name it, and
# the network does without it, because others say the same. In company they count.

# %%
own_loss, other_loss = [], []
print(f"{'units of':20s}{'how many':>12s}{'own recall':>12s}{'others':>12s}")
for label in np.unique(favorite[order]):
    units = [unit for unit in order if favorite[unit] == label]
    lost = intact - recall_without(units)
    own_loss.append(lost[label])
    other_loss.append(np.delete(lost, label).mean())
    print(f"{CLASSES[label]:20s}{len(units):12d}{-own_loss[-1]:12.1%}{-other_loss[-1]:12.1%}")
assert np.mean(own_loss) > 2 * np.mean(other_loss) > 0

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=(3, 2))
image = left.imshow(overlap[order].T, vmin=0, vmax=1, aspect="auto")
left.set(yticks=range(10), yticklabels=CLASSES, xlabel="live units, clearest first")
left.set_title("Each unit's favourites")
fig.colorbar(image, ax=left, label="intersection over union")
names = [CLASSES[label] for label in np.unique(favorite[order])]
right.barh(np.arange(len(names)) - 0.2, own_loss, 0.4, color="C1", label="the class itself")
right.barh(np.arange(len(names)) + 0.2, other_loss, 0.4, color="C0", hatch="//", label="mean of the others")
right.set(yticks=range(len(names)), yticklabels=names, xlabel="recall lost, units of this class off")
right.invert_yaxis()
right.legend()
fig.suptitle("Switch off the units that answer to a class: on average it loses over twice what others do")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Activation maximization is training with the weights fixed and the image free. Take the score before
#   the ReLU.
# - The strongest picture is not a likely one. What the rules add is ours, not the network's.
# - A network's last features put kinds together that pixels put apart.
# - PCA keeps the widest directions; t-SNE keeps neighbours, and nothing else may be read from it.
# - A unit can answer to a class without being needed for it. Switching off is the test.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Leave out one of the three rules at a time, in a copy of the cell that draws with them. Which one
#    matters most for the pineapple?
# 2. In a cell of your own, draw the t-SNE map with perplexity 5, then 100. Which groups survive both?
# 3. There, too, start the ascent for "daisy" from the coffee instead of noise. What becomes of the cup?
#
# ## Sources
#
# - D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a deep network",
#   2009: activation maximization.
# - K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2014, section 2: decay,
#   and scores before the softmax.
# - J. Yosinski and others, "Understanding neural networks through deep visualization", 2015, section 3:
#   blur and other rules.
# - C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", 2017: jitter, and what regularizers add.
# - L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", 2008, sections 2 and 3.
# - D. Bau and others, "Network dissection", 2017: units, concepts, intersection over union.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the data (MIT, Zalando SE).
