# %% [markdown]
# # 10.2 Activation maximization: draw the image that excites a unit most
#
# A network says "goldfish" to many photos, but what does it take for a goldfish: the fins, the colour, or
# the water around them? Lesson 10.1 searched for the photos that excite a unit most. A photo shows many
# things at once, so here we ask the network for a drawing instead. We start from noise and change the
# pixels, step by step, in the direction that raises the score. It is training with the roles exchanged,
# because the weights stay as they are and the image is learned. Teams use such drawings to find out
# what a classifier has really learned, for example that its "dumbbell" always has an arm attached.
#
# **You will build** gradient ascent on images, three rules and a change of the gradient that make the
# results look like something, and a test of which units a class needs. **You need** gradient descent
# (2.5), blur as a convolution (9.1), SqueezeNet (9.5) and the activations of units (10.1).

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
# Changing an input so that it raises a unit's activation as far as possible is called *activation
# maximization*. A linear unit computes $w \cdot x$. Let $w = (3, 4)$, and allow only images of two pixels
# whose length is one. We start at $(1, 0)$, take one step along the gradient with learning rate
# $\frac12$, and return to length one:
#
# $$\begin{aligned}
#   \text{gradient} \quad & \frac{\partial (w \cdot x)}{\partial x} = w = (3, 4) \\
#   \text{step} \quad & (1, 0) + \tfrac12 (3, 4) = (2.5, 2) \\
#   \text{length one} \quad & (2.5, 2) / \sqrt{10.25} \approx (0.78, 0.62)
# \end{aligned}$$
#
# Every step adds the same direction, so the image turns towards $w / \lVert w \rVert = (0.6, 0.8)$, whose
# score is $5$, the highest of all images of that length.

# %%
w = np.array([3.0, 4.0])
pixel_pair = np.array([1.0, 0.0])
for _ in range(20):
    pixel_pair = pixel_pair + 0.5 * w
    pixel_pair = pixel_pair / np.linalg.norm(pixel_pair)
print(f"image {pixel_pair}, score {w @ pixel_pair:.6f}")
np.testing.assert_allclose(pixel_pair, [0.6, 0.8], rtol=1e-10, atol=1e-12)

# %% [markdown]
# So a linear unit draws its own weights, which is why filters of a first layer could be shown as pictures
# (10.1). The gradient of a unit deep inside changes with the image, so there we have to go step by step.
#
# ## Gradient ascent on pixels
#
# The gradients of different units differ by orders of magnitude, so we divide each image's gradient by
# its root mean square. With learning rate $\eta$ the average pixel then changes by about $\eta$ in each
# step, whatever the unit:
#
# $$x \leftarrow x + \eta \, \frac{g}{\sqrt{\operatorname{mean}(g^2)}}, \qquad
#   g = \frac{\partial s}{\partial x} .$$


# %%
def image_gradient(score, images):
    """The gradient (B, C, H, W) of each image's own score; score(images) gives one number per image.

    Raises ValueError for a score of another shape.
    """
    images = images.detach().requires_grad_()
    scores = score(images)
    if scores.shape != images.shape[:1]:
        raise ValueError(f"images {tuple(images.shape)} need one score each, got {tuple(scores.shape)}")
    return torch.autograd.grad(scores.sum(), images)[0]


def equal_size(gradient):
    """The gradient (B, C, H, W) with root mean square one in each image; zeros stay zeros."""
    size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()  # (B, 1, 1, 1)
    return gradient / (size + 1e-12)


def ascend(score, images, n_steps, learning_rate, low, high):
    """Gradient ascent on images (B, C, H, W), whose pixels stay between low and high.

    low, high: two numbers, or two tensors that broadcast. Raises ValueError unless score gives one number
    for each image.
    """
    for _ in range(n_steps):
        gradient = image_gradient(score, images)
        images = images + learning_rate * equal_size(gradient)
        images = images.clamp(low, high)
    return images


# %% [markdown]
# ## The same in PyTorch
#
# A team would let an optimizer do the step. The image becomes a parameter, and `maximize=True` makes
# `torch.optim.SGD` go uphill. Momentum or Adam (7.2) then cost one word. (The package `lucent` offers
# this with more rules as `render_vis(model, "layer:unit")`.) Its result must be ours, here for a random
# convolution in float64.

# %%
torch.manual_seed(0)
small_conv = nn.Conv2d(2, 3, 3).double().requires_grad_(False)
image = nn.Parameter(torch.rand(1, 2, 7, 5, dtype=torch.float64))


def third_map(images):
    """The mean of the third map, through a tanh: one number per image."""
    return small_conv(images).tanh()[:, 2].mean(dim=(1, 2))  # (B, 3, h, w) -> (B,)


ours = ascend(third_map, image.detach(), 25, 0.05, 0.0, 1.0)
optimizer = torch.optim.SGD([image], lr=0.05, maximize=True)
for _ in range(25):
    optimizer.zero_grad()
    third_map(image).sum().backward()
    image.grad = equal_size(image.grad)
    optimizer.step()
    with torch.no_grad():
        image.clamp_(0.0, 1.0)
torch.testing.assert_close(ours, image.detach(), rtol=1e-10, atol=1e-12)
print(f"largest difference after 25 steps: {(ours - image.detach()).abs().max():.1e}")

# %% [markdown]
# ## A small network to ask
#
# We train a small network on Fashion-MNIST: two convolutions, a hidden layer of 32 units and ten scores.
# The hidden layer is its *penultimate layer*, the last one before the scores.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# The layers stand in one list, so `model[:-2]` is the network up to the hidden units before their ReLU.
# The images are one tensor in memory, so a batch is taken by indexing.


# %%
def train(seed, n_steps=400):
    """A network of 32 hidden units and ten scores, trained on the Fashion-MNIST images; frozen."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 49, 32), nn.ReLU(), nn.Linear(32, 10)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, n_steps)
    model.train()
    for _ in range(n_steps):
        batch = torch.randint(len(train_images), (50,))
        loss = F.cross_entropy(model(train_images[batch, None]), train_labels[batch])  # (50, 1, 28, 28)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


model = train(seed=0)
before_relu = model[:-2]  # images -> the 32 hidden units before their ReLU
after_relu = model[:-1]
test_accuracy = (model(test_images[:, None]).argmax(dim=1) == test_labels).float().mean().item()
print(f"test accuracy {test_accuracy:.1%}")

# %% [markdown]
# Should we climb on a hidden unit's activation after its ReLU, or on the number before it? We look at the
# noise from which the ascent starts and count the units that have a gradient there at all.


# %%
def own_unit(layers):
    """The score that gives image i the output of unit i of the layers."""

    def score(images):
        return layers(images).diagonal()  # (n, n) -> (n,)

    return score


start = 0.1 * torch.rand(32, 1, 28, 28)
units_with_gradient = {}
for name, layers in (("before the ReLU", before_relu), ("after the ReLU", after_relu)):
    gradient = image_gradient(own_unit(layers), start)  # (32, 1, 28, 28)
    units_with_gradient[name] = int((gradient.abs().amax(dim=(1, 2, 3)) > 0).sum())
    print(f"{name:20s}{units_with_gradient[name]} of 32 units have a gradient on noise")

# %% [markdown]
# After the ReLU many units are silent on noise, their gradient is zero, and their ascent would never
# start. Before the ReLU every unit has a gradient, so that is where we climb.
#
# The ten classes and the 32 hidden units are drawn at once, and each score is compared with the best score
# among a thousand test images. Units that no test image excites are left out, because for them there is
# nothing to compare with. Will 60 steps from noise beat the best of a thousand real garments?

# %%
active_units = after_relu(test_images[:, None]).amax(dim=0) > 0  # (32,)
drawn = {}
ratios = {}
for name, layers in (("classes", model), ("hidden units", before_relu)):
    test_scores = layers(test_images[:, None])  # (1000, n)
    noise = start[: test_scores.shape[1]]
    drawn[name] = ascend(own_unit(layers), noise, 60, 0.1, 0.0, 1.0)
    ratios[name] = layers(drawn[name]).diagonal() / test_scores.amax(dim=0)  # (n,)
ratios["hidden units"] = ratios["hidden units"][active_units]
print(f"{'drawn':20s}{'how many':>12s}{'lowest':>12s}{'highest':>12s}   (score over the best test image's)")
for name, values in ratios.items():
    print(f"{name:20s}{len(values):12d}{values.min():12.2f}{values.max():12.2f}")

favorites = model(test_images[:, None]).argmax(dim=0)  # (10,): the test image with each class's best score
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
fig.suptitle("The test image with the best score for each class, and the image that ascent draws")
plt.show()

# %% [markdown]
# Every drawing has a higher score than any test image, and hardly one of them shows a garment. (Four other
# seeds gave the same.) The space of images is vast, and most of the directions that raise a score lead
# away from the images that the network was trained on. Lesson 10.6 uses this for attacks. Here we want to
# learn what the network knows, so the ascent has to stay near natural images.
#
# ## Three rules and the low frequencies
#
# Three simple rules push an image towards smoothness (Yosinski et al. 2015, Olah et al. 2017):
#
# - _Blur_: after each step, smooth a little, which removes single bright pixels.
# - _Jitter_: roll the image by a few random pixels before each look, so that nothing can depend on an
#   exact position.
# - _Decay_: multiply all pixels by a number slightly below one, so that only what the gradient renews at
#   every step stays.
#
# Blur is a convolution with a bell curve, which we do along the rows first and then along the columns.


# %%
def blur(images, sigma):
    """Gaussian blur of images (B, C, H, W) with standard deviation sigma in pixels, edges reflected.

    Raises ValueError if sigma is not positive.
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


blur_input = torch.rand(2, 3, 9, 11, dtype=torch.float64)
theirs = TF.gaussian_blur(blur_input, [5, 5], [0.7, 0.7])
torch.testing.assert_close(blur(blur_input, 0.7), theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# There is also a change to the gradient itself. Every image is a sum of waves, and the *Fourier transform*
# (`torch.fft.rfft2`) gives the strength of each. A wave's *spatial frequency* is the number of its
# periods per pixel, so coarse shapes have low frequencies and single-pixel noise has high ones. In photos
# the low frequencies are by far the strongest: on the photos of this chapter the strength of a wave falls
# roughly like one over its frequency. So we divide each wave of the gradient by its frequency and
# transform back. All waves keep their sign, so the step still goes uphill, but it draws coarse shapes
# first.


# %%
def favor_low_frequencies(gradient):
    """The gradient (B, C, H, W) with each of its waves divided by its spatial frequency.

    The constant wave, whose frequency is zero, is divided by that of one period per image.
    """
    height, width = gradient.shape[2:]
    like = {"dtype": gradient.dtype, "device": gradient.device}
    rows = torch.fft.fftfreq(height, **like)[:, None]  # (H, 1), in periods per pixel
    columns = torch.fft.rfftfreq(width, **like)  # (W // 2 + 1,): the other half would be a mirror image
    frequency = (rows**2 + columns**2).sqrt()  # (H, 1) + (W // 2 + 1,) -> (H, W // 2 + 1)
    frequency = frequency.clamp(min=1 / max(height, width))
    waves = torch.fft.rfft2(gradient)  # (B, C, H, W // 2 + 1), complex
    return torch.fft.irfft2(waves / frequency, s=(height, width))


def ascend_with_rules(
    score,
    images,
    n_steps,
    learning_rate,
    low,
    high,
    rng,
    jitter=8,
    decay=0.99,
    sigmas=(0.6, 0.4),
    coarse=True,
):
    """As `ascend`, with jitter by up to `jitter` pixels, decay, and a blur from sigmas[0] to sigmas[1].

    coarse: whether the gradient's low frequencies are favoured. rng draws the jitter.
    """
    for step in range(n_steps):
        down, right = rng.integers(-jitter, jitter + 1, size=2).tolist()
        rolled = images.roll((down, right), dims=(2, 3))
        gradient = image_gradient(score, rolled).roll((-down, -right), dims=(2, 3))  # and back
        if coarse:
            gradient = favor_low_frequencies(gradient)
        images = images + learning_rate * equal_size(gradient)
        sigma = sigmas[0] + (sigmas[1] - sigmas[0]) * step / n_steps
        images = blur(decay * images, sigma)
        images = images.clamp(low, high)
    return images


noise = torch.randn(3, 2, 9, 6, dtype=torch.float64)
uphill = (noise * favor_low_frequencies(noise)).sum(dim=(1, 2, 3))  # (3,)
assert (uphill > 0).all()
print(f"slope along the changed gradient: {uphill.min():.0f} or more, so it still leads uphill")

# %% [markdown]
# ## What does SqueezeNet know?
#
# We ask the ImageNet network of lesson 9.5 for four classes. It ends in a convolution of size one, which
# is a linear layer at each place, a ReLU, and the average over the places. We leave out this ReLU,
# because a silent class would have no gradient. Then the average may be taken first, and the rows of the
# four classes are all that we need of the last layer, which has a thousand. Images are in the
# preprocessed scale, so the limits of a pixel are black and white after preprocessing. (For a photo of your
# own beside the drawings, put its path in the place of the coffee's; 2.1 says which files work.)

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
WANTED = ("goldfish", "pineapple", "espresso", "daisy")
indices = torch.tensor([categories.index(name) for name in WANTED])
photo = plt.imread(HERE / "data" / "coffee.jpg")  # (H, W, 3) uint8
if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
    raise ValueError(
        f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
    )
coffee = preprocess(torch.from_numpy(photo.copy()).permute(2, 0, 1))  # (3, H, W) -> (3, 224, 224)


def class_scores(images, classes):
    """Score of class classes[i] for image i, before the last ReLU; images (B, 3, H, W): (B,)."""
    pooled = net.features(images).mean(dim=(2, 3))  # (B, 512, H', W') -> (B, 512)
    last = net.classifier[1]
    rows = last.weight[classes, :, 0, 0]  # (1000, 512, 1, 1) -> (B, 512)
    return (pooled * rows).sum(dim=1) + last.bias[classes]  # (B,)


def wanted_scores(images):
    """The score of the i-th wanted class for the i-th image: (4,)."""
    return class_scores(images, indices)


photo_score = class_scores(coffee[None], [categories.index("espresso")]).item()
all_scores = net.classifier[1](net.features(coffee[None])).mean(dim=(2, 3))  # (1, 1000, 13, 13) -> (1, 1000)
theirs = all_scores[0, categories.index("espresso")].item()
print(f"the coffee photo's score for espresso: {photo_score:.3f}, by the whole last layer {theirs:.3f}")
np.testing.assert_allclose(photo_score, theirs, rtol=1e-3)

# %% [markdown]
# Three ascents start from the same noise: raw, with the three rules, and with the rules and the favoured
# low frequencies. The last is repeated from other noise (and other jitter), to see what is due to
# chance. A photo of a cup of coffee is there for comparison. As a rough measure of smoothness we
# take the correlation between neighbouring pixels, which is zero in noise. Which ascent will reach the
# highest scores, and in which would you recognise the four things if you did not know the titles?


# %%
def neighbor_correlation(images):
    """Correlation of each pixel with the one to its right, over all of images (B, C, H, W)."""
    pairs = torch.stack([images[..., :-1].flatten(), images[..., 1:].flatten()])  # (2, n)
    return torch.corrcoef(pairs)[0, 1].item()


torch.manual_seed(0)
rng = np.random.default_rng(0)
noise = 0.01 * torch.randn(4, 3, 128, 128)
limits = (-mean / std, (1 - mean) / std)  # black and white, each (3, 1, 1)
pictures = {
    "raw": ascend(wanted_scores, noise, 30, 0.3, *limits),
    "three rules": ascend_with_rules(
        wanted_scores, noise, 60, 0.3, *limits, rng, decay=0.995, sigmas=(1.2, 0.5), coarse=False
    ),
    "low frequencies": ascend_with_rules(wanted_scores, noise, 60, 0.15, *limits, rng),
    "other noise": ascend_with_rules(wanted_scores, -noise, 60, 0.15, *limits, rng),
}
scores = {name: wanted_scores(images) for name, images in pictures.items()}
smoothness = {name: neighbor_correlation(images) for name, images in pictures.items()}
photo_smoothness = neighbor_correlation(coffee[None])
print(f"the coffee photo: neighbours {photo_smoothness:.2f}, espresso {photo_score:.0f}")
print(f"{'ascent':20s}{'neighbours':>12s}" + "".join(f"{name:>12s}" for name in WANTED))
for name, values in scores.items():
    print(f"{name:20s}{smoothness[name]:12.2f}" + "".join(f"{value:12.0f}" for value in values))

# %%
fig, axes = plt.subplots(4, 4, figsize=(10, 10.6), layout="constrained")
for row, (name, images) in zip(axes, pictures.items()):
    for ax, image in zip(row, images):
        ax.imshow((image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
for ax, category in zip(axes[0], WANTED):
    ax.set_title(category)
fig.suptitle("Images that raise SqueezeNet's score for four classes, by three kinds of ascent")
plt.show()

# %% [markdown]
# Raw ascent reaches the highest scores and draws noise. With the three rules there are shapes in grey: a
# fish with an eye, and the scales of a pineapple. With the low frequencies the goldfish and the pineapple
# get their colours, in both rows, and in the last one the pineapple has a crown of leaves. Espresso is
# less certain. One can guess a cup on a saucer in the second row and something red between rings in the
# last one. The daisy does not come out in any row. Instead of a flower there is an animal with an eye
# beside some petals. Perhaps the photos of daisies often showed an insect on the flower, but that is a
# guess. From three other noise images the goldfish and the pineapple came out every time, a cup twice,
# and the daisy never.
#
# All the drawings of espresso score higher than the photo, so a high score does not tell which picture
# shows what the network knows. Smoothness was our demand, expressed by the rules, and the network filled
# in the rest. Nobody can tell exactly which part of a picture is whose.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert test_accuracy > 0.7, "the small network mostly gets it right"
assert units_with_gradient["before the ReLU"] == 32, "before the ReLU every unit has a gradient on noise"
assert units_with_gradient["after the ReLU"] < 28, "after it many have none"
assert ratios["classes"].min() > 1.05, "every class's drawing beats all test images"
assert len(ratios["hidden units"]) > 8, "more than eight hidden units respond to some test image"
assert ratios["hidden units"].min() > 1.05, "every hidden unit's drawing beats all test images"
assert smoothness["raw"] < 0.4, "raw ascent draws noise"
assert smoothness["three rules"] > 0.6, "with the rules neighbouring pixels are alike"
assert smoothness["low frequencies"] > 0.9, "with low frequencies favoured nearly as much as in a photo"
assert (scores["raw"] > scores["three rules"]).all(), "raw ascent reaches higher scores than the rules"
assert min(values[2] for values in scores.values()) > photo_score, "each espresso drawing beats the photo"

# %% [markdown]
# ## Going further
#
# This part can be skipped: it asks the other way round, which class each unit responds to.
#
# ### Which unit responds to which class?
#
# For the small network's hidden units there is another way to find out what they respond to. *Network
# dissection* (Bau et al. 2017) compares the places where a unit is active with the places where a concept
# is present. In our small version images take the role of places and classes that of concepts: a unit's
# set $A$ is the tenth of the test images that excite it most, and $B$ is the set of images of one class.
# Their overlap is measured by the *intersection over union*, $|A \cap B| / |A \cup B|$, which is one if
# the sets are equal and zero if they share nothing.


# %%
def dissect(activations, labels, n_classes=10, share=0.1):
    """Intersection over union of each unit's most active images with each class: (units, n_classes).

    activations: (n, units), labels: (n,) integers. A unit that is never above zero gets zeros.
    """
    on = activations > np.maximum(np.quantile(activations, 1 - share, axis=0), 0)  # (n, units)
    member = labels[:, None] == np.arange(n_classes)  # (n, n_classes)
    both = on.T.astype(float) @ member  # (units, n) @ (n, n_classes) -> (units, n_classes)
    return both / (on.sum(axis=0)[:, None] + member.sum(axis=0) - both)


features = after_relu(test_images[:, None]).numpy()  # (1000, 32)
overlap = dissect(features, test_labels.numpy())  # (32, 10)
favorite = overlap.argmax(axis=1)  # (32,): the class that each unit responds to most clearly
strength = overlap.max(axis=1)  # (32,)
ranked_units = [unit for unit in np.argsort(-strength, kind="stable") if active_units[unit]]

# %% [markdown]
# Suppose that a unit responds to one class only. Does the network then need this unit to recognise the
# class? We set units to zero and count how much of its recall (3.4) each class loses. If response meant
# need, the units with the largest overlap would cost their class most.


# %%
def recall_without(units):
    """Share of each class that the last layer still gets right with these hidden units at zero: (10,)."""
    silenced = torch.from_numpy(features.copy())  # (1000, 32)
    silenced[:, units] = 0
    right = (model[-1](silenced).argmax(dim=1) == test_labels).double()  # (1000, 32) -> (1000,)
    return np.array([right[test_labels == label].mean().item() for label in range(10)])


intact = recall_without([])
lost_alone = np.array([(intact - recall_without([unit]))[favorite[unit]] for unit in ranked_units])
print(f"{'unit, its class':20s}{'overlap':>12s}{'lost alone':>12s}")
for unit, lost in zip(ranked_units[:6], lost_alone):
    print(f"{f'{unit} {CLASSES[favorite[unit]]}':20s}{strength[unit]:12.2f}{lost:12.1%}")
ranks = [np.argsort(np.argsort(values)) for values in (strength[ranked_units], lost_alone)]
rank_correlation = np.corrcoef(ranks)[0, 1]
print(f"correlation of the ranks, over {len(ranked_units)} active units: {rank_correlation:.2f}")

# %% [markdown]
# In this network the overlap does not tell how much is lost. Its clearest unit could almost name the class
# by itself, and without it the class loses very little. With four other training seeds the class of the
# clearest unit lost nearly nothing twice, a quarter once, and over three quarters once, and over all five
# seeds the correlation between the two rankings lay between $-0.5$ and $0.3$. So we cannot read from a
# unit's response whether it is needed.
#
# Next, all units that respond to the same class are switched off together. If these units carry their
# class, it should lose more than the other classes do. As a control, the same number of other active
# units, drawn at random twenty times, is switched off in their place.

# %%
own_loss = []
other_loss = []
control_loss = []
for label in np.unique(favorite[ranked_units]):
    units = [unit for unit in ranked_units if favorite[unit] == label]
    lost = intact - recall_without(units)
    at_random = [rng.choice(ranked_units, len(units), replace=False) for _ in range(20)]
    own_loss.append(lost[label])
    other_loss.append(np.delete(lost, label).mean())
    control_loss.append(np.mean([(intact - recall_without(chosen))[label] for chosen in at_random]))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained", width_ratios=(3, 2))
picture = left.imshow(overlap[ranked_units].T, vmin=0, vmax=1, aspect="auto")
left.set(yticks=range(10), yticklabels=CLASSES, xlabel="active units, largest overlap first")
left.set_title("Overlap of each unit with each class")
fig.colorbar(picture, ax=left, label="intersection over union")
names = [CLASSES[label] for label in np.unique(favorite[ranked_units])]
places = np.arange(len(names))
right.barh(places - 0.27, own_loss, 0.27, color="C1", label="the class itself")
right.barh(places, other_loss, 0.27, color="C0", hatch="//", label="mean of the other classes")
right.barh(places + 0.27, control_loss, 0.27, color="0.7", hatch="..", label="the class, random units off")
right.set(yticks=places, yticklabels=names, xlabel="recall lost", title="A class's own units switched off")
right.invert_yaxis()
fig.legend(loc="outside lower right", ncols=3)
plt.show()

# %% [markdown]
# On average a class loses several times as much by its own units as the other classes lose, and over twice
# as much as by the same number of random units. (So it was with four other seeds.) But the bars differ a
# lot from class to class, and there are classes that lose little more by their own units than by random
# ones, or than the other classes do. Whether a class needs its units is a question for each
# network and each class, and switching off is the test that answers it.

# %%
assert rank_correlation < 0.5, "a unit's larger overlap does not mean that more is lost without it"
assert lost_alone[0] < 0.15, "without its clearest unit the class loses little"
assert np.mean(own_loss) > 3 * np.mean(other_loss), "a class loses most by its own units, on average"
assert np.mean(own_loss) > 1.5 * np.mean(control_loss), "and more than by as many random units"
lead = np.array(own_loss) - np.maximum(other_loss, control_loss)  # one number for each class
assert lead.min() < 0.2, "some class loses little more by its own units than by random ones"
assert lead.max() > lead.min() + 0.2, "and another one much more"

# %% [markdown]
# ## What to remember
#
# - Activation maximization is gradient ascent on the image while the weights stay fixed. Take the score
#   before the ReLU, because a silent unit has no gradient.
# - A higher score does not mean a better picture. The raw optimum is noise.
# - Blur, jitter, decay and low frequencies make pictures that one can recognise. They are our demands, so
#   a drawing shows the network and the rules together.
# - A unit can respond to a class without being needed for it. To find out, switch it off.
#
# ## Try it
#
# Predict first, then change it and run the file from the top.
#
# 1. Set `decay=0.99` in the definition of `ascend_with_rules` to `decay=0.9`. What happens to the grey
#    parts of the last row's pictures, and to the scores?
# 2. Change the wanted class `"daisy"` to `"jellyfish"`. Does it come out, and in which row?
# 3. From a blank cell at the end: start from the coffee photo instead of noise, with
#    `coffee.repeat(4, 1, 1, 1)`, `ascend_with_rules` and a `learning_rate` of `0.05`, and draw the four
#    results beside the photo. Which of them still shows the cup, and does the score tell?
#
# ## Sources
#
# - D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a deep network",
#   2009: activation maximization. Reproduced: "every hidden unit's drawing beats all test images".
# - K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2014, section 2: decay,
#   and scores before the softmax.
# - A. Mordvintsev, C. Olah, M. Tyka, "Inceptionism: going deeper into neural networks", 2015: the
#   dumbbell with an arm.
# - J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson, "Understanding neural networks through deep
#   visualization", 2015, section 3: blur and other rules. Reproduced: "with the rules neighbouring pixels
#   are alike".
# - C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", _Distill_, 2017: jitter, steps that
#   favour low frequencies, and what such rules add. Reproduced: "with low frequencies favoured nearly as
#   much as in a photo".
# - D. Bau, B. Zhou, A. Khosla, A. Oliva, A. Torralba, "Network dissection", CVPR 2017: units, concepts,
#   intersection over union.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the data (MIT, Zalando SE).
