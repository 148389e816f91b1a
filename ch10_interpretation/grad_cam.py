# %% [markdown]
# # 10.3 Grad-CAM: which part of the photo spoke for this answer?
#
# A jury reaches a verdict, and you want to know what convinced it. Ask each member: how strongly did you
# see your thing, where did you see it, and how much did the verdict depend on you? Add up the answers over
# the photo, and you have a map of the evidence. The members are the channels of a network's last maps.
#
# **You will build** class activation maps and *Grad-CAM*, their form for any network, as a function of
# twenty lines; maps of what speaks against an answer; and you will use them to catch a network that
# is right for the wrong reason. **You need** SqueezeNet (9.5), hooks and guided backpropagation (10.1).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# A network ends in two maps of two by two cells, the mean of each, and a weighted sum of the means:
#
# $$A = \begin{pmatrix} 4 & 0 \\ 0 & 0 \end{pmatrix}, \quad
#   B = \begin{pmatrix} 0 & 0 \\ 0 & 2 \end{pmatrix}, \quad
#   s = 3\,\bar A - 2\,\bar B = 3 \cdot 1 - 2 \cdot 0.5 = 2 .$$
#
# A sum of sums can be read in another order: first add the weighted maps, $\frac34 A - \frac24 B$. That
# has a $3$ in the first cell and a $-1$ in the last. It is the score, spread over the places where it came
# from, and it adds up to $2$.

# %%
maps = torch.tensor([[[4.0, 0], [0, 0]], [[0, 0], [0, 2]]])  # (2, 2, 2)
weight = torch.tensor([3.0, -2.0])
score = weight @ maps.mean(dim=(1, 2))  # (2,) @ (2,) -> ()
spread = (weight[:, None, None] / 4 * maps).sum(dim=0)  # (2, 1, 1) * (2, 2, 2) -> (2, 2)
print(f"score {score:.1f}, spread over the cells:\n{spread}")
assert spread.tolist() == [[3, 0], [0, -1]] and spread.sum() == score

# %% [markdown]
# That is a *class activation map*, CAM. It asks for a network that ends in this way: maps, a mean over
# places, one linear layer. SqueezeNet does, nearly. Its last layer is a convolution of size one, a linear
# layer at each place, then ReLU, then the mean. We leave out the last ReLU, so that a score can also fall
# below zero and speak *against* a class; mean and linear layer may then change places.

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
categories = weights_info.meta["categories"]
preprocess = weights_info.transforms()


def pretrained():
    """SqueezeNet 1.1 with the ImageNet weights in data/, in float32, frozen, in evaluation mode."""
    net = models.squeezenet1_1()
    with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
        net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net.eval().requires_grad_(False)


net = pretrained()
scores = nn.Sequential(net.features, net.classifier[1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
photos = {}
for name in ("coffee", "chelsea"):
    photo = torch.from_numpy(plt.imread(HERE / "data" / f"{name}.jpg").copy()).permute(2, 0, 1)  # (3, H, W)
    photos[name] = preprocess(photo)  # (3, 224, 224)

# %% [markdown]
# Maps will be drawn over the photo, which is shown in grey so that its colours do not mix with those of
# the map.


# %%
def show_map(ax, x, heat, title):
    """The photo x (3, H, W), preprocessed, on ax with heat (H, W) over it."""
    ax.imshow((x * std + mean).clamp(0, 1).mean(dim=0).numpy(), cmap="gray", vmin=0, vmax=1)
    ax.imshow(heat.numpy(), alpha=0.55)
    ax.set(xticks=[], yticks=[], title=title)


# %% [markdown]
# ## CAM on the coffee
#
# The maps before the last layer are $512$ of $13 \times 13$ cells. Weight them with the espresso row of
# the last layer and add up. With the bias, the sum over all cells is the score.

# %%
espresso = categories.index("espresso")
x = photos["coffee"][None]  # (3, 224, 224) -> (1, 3, 224, 224)
last_maps = net.features(x)[0]  # (512, 13, 13)
row = net.classifier[1].weight[espresso]  # (512, 1, 1): a convolution of size one
cam = (row * last_maps).sum(dim=0) / last_maps[0].numel()  # (512, 1, 1) * (512, 13, 13) -> (13, 13)
total = (cam.sum() + net.classifier[1].bias[espresso]).item()
score = scores(x)[0, espresso].item()
print(f"score {score:.4f}, sum of the map and the bias {total:.4f}")
assert abs(total - score) < 1e-3

# %% [markdown]
# ## Grad-CAM, by hand
#
# Most networks do not end like that: several layers may follow the maps, and no row of weights belongs to
# a class. But how much the score depends on channel $k$ can still be asked: by the gradient, averaged over
# the cells. With $Z$ cells and score $s$,
#
# $$\alpha_k = \frac1Z \sum_{ij} \frac{\partial s}{\partial A^k_{ij}}, \qquad
#   \text{map} = \mathrm{ReLU}\Big( \sum_k \alpha_k A^k \Big) .$$
#
# The ReLU keeps what speaks *for* the class. A hook keeps the maps, as in lesson 10.1.

# %%
kept = []
handle = net.features[12].register_forward_hook(lambda module, inputs, output: kept.append(output))
score = scores(x.clone().requires_grad_())[0, espresso]
handle.remove()
gradient = torch.autograd.grad(score, kept[0])[0]  # (1, 512, 13, 13)
alpha = gradient.mean(dim=(2, 3), keepdim=True)  # (1, 512, 1, 1)
raw = (alpha * kept[0].detach()).sum(dim=1)[0]  # (1, 512, 13, 13) -> (13, 13)
by_hand = raw.clamp(min=0)
factor = cam / raw
print(f"CAM over Grad-CAM before its ReLU: {factor.min():.4f} to {factor.max():.4f}, in every cell")
torch.testing.assert_close(cam, raw, rtol=1e-3, atol=1e-5)

# %% [markdown]
# For this network the two are the same. The derivative of a mean of $Z$ cells is $\frac1Z$ in each cell,
# so $\alpha_k$ is $\frac1Z$ times the weight. (CAM is often written without that factor.) Grad-CAM
# contains CAM, and asks for nothing but a gradient.
#
# ## As a function
#
# Two changes make it faster. The hook may *return* a tensor, and the network goes on with that instead. We
# hand on a copy that begins a new graph: nothing before the layer is recorded, or needs a gradient. The
# images are stored with channels last (9.6), and the small map is enlarged to the photo by interpolation.


# %%
def grad_cam(model, layer, images, classes, sign=1):
    """Grad-CAM (Selvaraju et al. 2017) of images (B, C, H, W) for classes (B,): (B, H, W), zero or above.

    layer: the submodule whose output (B, K, h, w) is weighed. sign=-1 maps what speaks against the class.
    Raises ValueError where there is not one class an image, or where the layer's output is no map.
    """
    if len(classes) != len(images):
        raise ValueError(f"images of shape {tuple(images.shape)} for {len(classes)} classes")
    kept = []

    def begin_graph(module, inputs, output):
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()  # what follows may work in place; the copy takes it

    images = images.contiguous(memory_format=torch.channels_last)  # the same shape, faster convolutions
    handle = layer.register_forward_hook(begin_graph)
    try:
        with torch.enable_grad():
            scores = model(images)[torch.arange(len(images)), classes]  # (B, n_classes) -> (B,)
            gradient = torch.autograd.grad(scores.sum(), kept[0])[0]  # like the layer's output
    finally:
        handle.remove()
    if gradient.ndim != 4:
        raise ValueError(f"the layer's output has shape {tuple(gradient.shape)}, not (B, K, h, w)")
    alpha = sign * gradient.mean(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
    maps = (alpha * kept[0].detach()).sum(dim=1, keepdim=True).clamp(min=0)  # (B, 1, h, w)
    return F.interpolate(maps, size=images.shape[2:], mode="bilinear")[:, 0]  # (B, 1, H, W) -> (B, H, W)


heat = grad_cam(scores, net.features[12], x, torch.tensor([espresso]))[0]  # (224, 224)
expected = F.interpolate(by_hand[None, None], size=(224, 224), mode="bilinear")[0, 0]
print(f"largest difference from the map by hand {(heat - expected).abs().max():.1e}")
torch.testing.assert_close(heat, expected, rtol=1e-4, atol=1e-6)

# %% [markdown]
# ## Does the map point at the cup?
#
# A map should follow its object. We cut three windows from the photo, each shifted against the others, and
# draw a box around the cup by eye: in the whole photo, scaled to $256$ rows, from row $16$ to $156$ and
# from column $115$ to $270$. Two questions: is the peak in the box? And how much of the map's mass is in
# it, compared with the box's share of the area? A map that is the same everywhere has a ratio of one.

# %%
photo = torch.from_numpy(plt.imread(HERE / "data" / "coffee.jpg").copy()).permute(2, 0, 1)  # (3, 400, 600)
photo = photo[None] / 255  # (3, H, W) -> (1, 3, H, W), from 0 to 1
whole = F.interpolate(photo, size=(256, 384), mode="bilinear", antialias=True)  # (1, 3, 256, 384)
whole = (whole - mean) / std
corners = ((32, 40), (32, 80), (32, 120))  # row and column of the windows' upper left corners
# three of (1, 3, 224, 224) -> (3, 3, 224, 224)
windows = torch.cat([whole[..., top : top + 224, left : left + 224] for top, left in corners])
boxes = [(max(0, 16 - top), 156 - top, max(0, 115 - left), min(224, 270 - left)) for top, left in corners]


def inside(heat, box):
    """Whether the peak of heat (H, W) is in the box, and the box's share of the mass over that of the area.

    box: first and last row, then columns, the last ones excluded.
    """
    top, bottom, left, right = box
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    part = heat[top:bottom, left:right]
    ratio = (part.sum() / heat.sum()) / (part.numel() / heat.numel())
    return top <= row < bottom and left <= column < right, ratio.item()


# %% [markdown]
# All three windows pass in one batch.

# %%
heats = grad_cam(scores, net.features[12], windows, torch.full((3,), espresso))  # (3, 224, 224)
pointing = [inside(heat, box) for heat, box in zip(heats, boxes)]
for (top, left), (hit, ratio) in zip(corners, pointing):
    print(f"window at row {top}, column {left:3d}: peak in the box {hit}, mass over area {ratio:.2f}")
assert all(hit and ratio > 1.4 for hit, ratio in pointing)
assert inside(torch.ones(224, 224), boxes[0])[1] == 1.0

# %%
fig, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
for ax, window, heat, box, (_, ratio) in zip(axes, windows, heats, boxes, pointing):
    show_map(ax, window, heat, f"mass over area {ratio:.2f}")
    top, bottom, left, right = box
    ax.add_patch(
        plt.Rectangle((left, top), right - left - 1, bottom - top - 1, fill=False, edgecolor="white")
    )
    row, column = divmod(int(heat.argmax()), 224)
    ax.plot(column, row, "x", color="C3", markersize=10, markeredgewidth=2)
fig.suptitle("The photo shifts, and the map goes with the cup (cross: its peak, frame: our box)")
plt.show()

# %% [markdown]
# ## Which layer?
#
# Any layer with maps can be asked. The last one has seen most and says what *kinds* of things are where,
# in coarse cells. An early one has fine cells, but its channels are edges, and an edge speaks for espresso
# as well as for a hundred other things.

# %%
layers = (4, 7, 10, 12)
by_layer = {}
print(f"{'layer':20s}{'cells':>12s}{'mass/area':>12s}")
for index in layers:
    by_layer[index] = grad_cam(scores, net.features[index], windows, torch.full((3,), espresso))
    ratio = np.mean([inside(heat, box)[1] for heat, box in zip(by_layer[index], boxes)])
    side = net.features[: index + 1](windows[:1]).shape[2]
    print(f"{f'features.{index}':20s}{f'{side} × {side}':>12s}{ratio:12.2f}")
    assert ratio < 1.25 or index == 12

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.9), layout="constrained")
for ax, index in zip(axes, layers):
    show_map(ax, windows[1], by_layer[index][1], f"features.{index}")
fig.suptitle("Only the last layer's map gathers on the cup; the others spread over edges and shine")
plt.show()

# %% [markdown]
# ## Another question, another map
#
# Put the cat and the coffee side by side. The network is built of convolutions and a mean, so it takes the
# wide image. Now ask for "espresso" and for "Egyptian cat": a map that shows the *class* must change
# sides. Then turn the sign: what speaks *against* each of them? These are *counterfactual* maps: remove
# what they show, and the score should rise.

# %%
pair = torch.cat([photos["chelsea"], photos["coffee"]], dim=2)[None]  # (1, 3, 224, 448)
asked = {name: torch.tensor([categories.index(name)]) for name in ("espresso", "Egyptian cat")}
pair_maps, cat_side = {}, {}
print(f"{'share on the cat':20s}{'for':>12s}{'against':>12s}")
for name, category in asked.items():
    for sign in (1, -1):
        heat = grad_cam(scores, net.features[12], pair, category, sign)[0]  # (224, 448)
        pair_maps[name, sign] = heat
        cat_side[name, sign] = (heat[:, :224].sum() / heat.sum()).item()
    print(f"{name:20s}{cat_side[name, 1]:12.1%}{cat_side[name, -1]:12.1%}")
assert cat_side["espresso", 1] < 0.3 and cat_side["Egyptian cat", 1] > 0.7
assert cat_side["espresso", -1] > 0.7 and cat_side["Egyptian cat", -1] < 0.3

# %%
fig, axes = plt.subplots(2, 2, figsize=(10, 5.6), layout="constrained")
for row, name in zip(axes, asked):
    for ax, sign, words in zip(row, (1, -1), ("for", "against")):
        show_map(ax, pair[0], pair_maps[name, sign], f"{words} {name}")
fig.suptitle("Ask for another class, or for what speaks against it, and the map changes sides")
plt.show()

# %% [markdown]
# ## Guided Grad-CAM
#
# Guided backpropagation (10.1) is sharp, but does it know the class? We ask it for the same two. The
# product of both, pixel by pixel, is *Guided Grad-CAM*: the detail of one, the place of the other.


# %%
def guided_gradient(model, images, classes):
    """Guided backpropagation of the classes' scores to images (B, C, H, W): alike."""

    def hook(module, grad_input, grad_output):
        return (grad_input[0].clamp(min=0),)

    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    handles = [relu.register_full_backward_hook(hook) for relu in relus]
    try:
        images = images.detach().requires_grad_()
        total = model(images)[torch.arange(len(images)), classes].sum()
        return torch.autograd.grad(total, images)[0]
    finally:
        for handle in handles:
            handle.remove()


def guided_grad_cam(model, layer, images, classes):
    """The guided gradient (B, C, H, W) times the Grad-CAM map of its image."""
    return guided_gradient(model, images, classes) * grad_cam(model, layer, images, classes)[:, None]


# %% [markdown]
# How alike are the two classes' pictures? We correlate their sizes, pixel by pixel.

# %%
guided, combined = {}, {}
for name, category in asked.items():
    guided[name] = guided_gradient(scores, pair, category)[0]  # (3, 224, 448)
    combined[name] = guided_grad_cam(scores, net.features[12], pair, category)[0]  # (3, 224, 448)
likeness = {}
for name, views in (("guided", guided), ("Guided Grad-CAM", combined)):
    sizes = torch.stack([view.abs().sum(dim=0).flatten() for view in views.values()])  # (2, 224 * 448)
    likeness[name] = torch.corrcoef(sizes)[0, 1].item()
    print(f"{name:20s}correlation of the pictures for the two classes {likeness[name]:.2f}")
assert likeness["guided"] > likeness["Guided Grad-CAM"] + 0.2

# %%
fig, axes = plt.subplots(2, 2, figsize=(10, 5.6), layout="constrained")
for column, name in zip(axes.T, asked):
    for ax, views, words in zip(column, (guided, combined), ("guided", "Guided Grad-CAM")):
        view = views[name] / (2 * views[name].abs().quantile(0.995))
        ax.imshow((0.5 + view).clamp(0, 1).permute(1, 2, 0).numpy())  # grey is zero
        ax.set(xticks=[], yticks=[], title=f"{words}, {name}")
fig.suptitle("Guided backpropagation draws much the same for both classes; with the map it takes sides")
plt.show()

# %% [markdown]
# ## Right for the wrong reason
#
# Now the use that justifies the effort. A shop photographs coats and shirts, in two rooms. In the shirt
# room a chequered tag hangs in the corner of every picture, and nobody notices. We train a small network
# on these pictures, and another one on mixed pictures: there the tag hangs on a random half of either
# kind.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# Coats and shirts are hard to tell apart in these pictures. That makes a shortcut tempting.

# %%
COAT, SHIRT = 4, 6
CORNER = 7  # the tag and a margin around it: rows and columns 0 to 6


def coats_and_shirts(images, labels):
    """The m coats and shirts among images (n, 28, 28): (m, 1, 28, 28), and labels (m,), 1 for a shirt."""
    chosen = (labels == COAT) | (labels == SHIRT)
    return images[chosen, None], (labels[chosen] == SHIRT).long()  # (m, 28, 28) -> (m, 1, 28, 28)


def with_tag(images, chosen):
    """A copy of images (n, 1, 28, 28) with a chequered tag in the corner of those chosen, (n,) of bool."""
    images = images.clone()
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2  # (4, 1) + (4,) -> (4, 4)
    images[chosen, :, 1:5, 1:5] = 1 - board.to(images)
    return images


x_train, y_train = coats_and_shirts(train_images, train_labels)
x_test, y_test = coats_and_shirts(test_images, test_labels)
print(
    f"{len(x_train)} pictures to train on, {len(x_test)} to test, {y_test.float().mean():.0%} of these shirts"
)

# %% [markdown]
# The network is of the kind that CAM was made for: convolutions, a mean over places, a linear layer.


# %%
def train(images, labels, seed=0, n_steps=200):
    """A small CNN with two classes, trained with Adam on (n, 1, 28, 28); frozen, in evaluation mode."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 2)),
    )
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / n_steps)
        batch = torch.randint(len(images), (50,))
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


# %% [markdown]
# Two networks, two tests: pictures from the same two rooms, and the same pictures without any tag.

# %%
shop_test = with_tag(x_test, y_test == 1)  # from the same two rooms
torch.manual_seed(0)
at_random = torch.rand(len(x_train)) < 0.5
nets = {
    "shop": train(with_tag(x_train, y_train == 1), y_train),
    "mixed": train(with_tag(x_train, at_random), y_train),
}
accuracy = {}
print(f"{'trained on':20s}{'shop test':>12s}{'no tags':>12s}")
for name, model in nets.items():
    for test, images in (("shop test", shop_test), ("no tags", x_test)):
        accuracy[name, test] = (model(images).argmax(dim=1) == y_test).float().mean().item()
    print(f"{name:20s}{accuracy[name, 'shop test']:12.1%}{accuracy[name, 'no tags']:12.1%}")
assert accuracy["shop", "shop test"] > 0.9

# %% [markdown]
# On its own pictures, held out as they should be, the shop's network is nearly perfect. If these were all
# the pictures we had, nothing would warn us. So ask it why: Grad-CAM for "shirt" on every test shirt, all
# of them with a tag. How much of the map lies in the corner, which is a sixteenth of the picture?

# %%
shirts = shop_test[y_test == 1]  # (n, 1, 28, 28)
corner_mass, corner_peak, mean_maps = {}, {}, {}
print(f"{'trained on':20s}{'mass there':>12s}{'peak there':>12s}")
for name, model in nets.items():
    heats = grad_cam(model, model[4], shirts, torch.ones(len(shirts), dtype=torch.long))  # (n, 28, 28)
    peaks = heats.flatten(1).argmax(dim=1)  # (n,), flat indices
    corner_peak[name] = ((peaks // 28 < CORNER) & (peaks % 28 < CORNER)).float().mean().item()
    shares = heats / heats.sum(dim=(1, 2), keepdim=True).clamp(min=1e-9)
    mean_maps[name] = shares.mean(dim=0)  # (28, 28)
    corner_mass[name] = mean_maps[name][:CORNER, :CORNER].sum().item()
    print(f"{name:20s}{corner_mass[name]:12.1%}{corner_peak[name]:12.1%}")
assert corner_peak["shop"] > 0.8 and corner_mass["shop"] > 0.2
assert corner_mass["shop"] > 2 * corner_mass["mixed"] and corner_mass["mixed"] < 0.2

# %% [markdown]
# The shop's map is full of the tag. The peak alone says less: a chequerboard is the sharpest
# pattern in the picture, and may be the brightest cell even of a map that is nearly all shirt.
#
# So far this is a suspicion. The proof is to act: take the tags away, or hang them on coats. The network
# that looked perfect had learned to find tags.

# %%
coats = x_test[y_test == 0]
called_shirt = {}
for name, model in nets.items():
    tagged = with_tag(coats, torch.ones(len(coats), dtype=torch.bool))
    called_shirt[name] = model(tagged).argmax(dim=1).float().mean().item()
    print(f"trained on {name:8s} coats with a tag that are called shirts: {called_shirt[name]:.0%}")
assert called_shirt["shop"] > 0.8 and called_shirt["mixed"] < 0.5
assert accuracy["shop", "no tags"] < 0.75 < 0.9 < accuracy["shop", "shop test"]
assert accuracy["mixed", "no tags"] > accuracy["shop", "no tags"] + 0.05

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
axes[0].imshow(shirts[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
axes[0].set_title("a shirt from the shop")
for ax, (name, heat) in zip(axes[1:3], mean_maps.items()):
    ax.imshow(heat.numpy(), vmin=0, vmax=float(mean_maps["shop"].max()) / 2)
    ax.set_title(f"mean map, trained on {name}")
for ax in axes[:3]:
    ax.set(xticks=[], yticks=[])
for offset, test, hatch in ((-0.2, "shop test", ""), (0.2, "no tags", "//")):
    heights = [accuracy[name, test] for name in nets]
    axes[3].bar(np.arange(2) + offset, heights, 0.4, hatch=hatch, label=test)
axes[3].set(xticks=range(2), xticklabels=[f"trained on {name}" for name in nets], ylim=(0, 1.3))
axes[3].set(ylabel="accuracy", yticks=np.linspace(0, 1, 5))
axes[3].legend(ncols=2, loc="upper center")
fig.suptitle("Nearly perfect in the shop, because of the tag: the map shows it before the failure does")
plt.show()

# %% [markdown]
# ## What to remember
#
# - CAM reads a score in another order: the same sum, place by place.
# - Grad-CAM replaces the weights by averaged gradients and works with any maps. The last ones tell the
#   kind.
# - Judge a map by numbers: where is its peak, how much of its mass is on the object, does it change with
#   the class?
# - Turn the sign for what speaks against. Multiply with guided backpropagation for detail.
# - A map raises a suspicion. Change the input and see whether the answer follows.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Make the tag plain white, then grey. Which network's peak leaves the corner first?
# 2. Ask for "cup" and "wooden spoon" on the coffee. Where do the maps go?
# 3. Leave out the ReLU in `grad_cam`, and in `by_hand` above it. Which numbers of this lesson change?
#
# ## Sources
#
# - B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba, "Learning deep features for discriminative
#   localization", 2016, section 2: class activation maps.
# - R. Selvaraju and others, "Grad-CAM: visual explanations from deep networks via gradient-based
#   localization", 2017, section 3, with Guided Grad-CAM and counterfactual maps.
# - J. Zhang, S. Bargal, Z. Lin, J. Brandt, X. Shen, S. Sclaroff, "Top-down neural attention by excitation
#   backprop", 2018: the pointing game, which asks where the peak is.
# - S. Lapuschkin and others, "Unmasking Clever Hans predictors", 2019: networks that read the
#   photographer's name.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the data (MIT, Zalando SE).
