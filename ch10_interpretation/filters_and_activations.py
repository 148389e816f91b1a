# %% [markdown]
# # 10.1 Filters and activations: asking a network what it looks at
#
# A taster says "espresso" and is right. You could look at her tongue, watch what she does while she
# tastes, or hide one ingredient after the other and see when she hesitates. A network can be questioned in
# the same three ways, and here nothing is hidden: every weight and every number in between lies open.
#
# **You will build** pictures of filters and of activations, a *deconvnet* that runs a network backward to
# the pixels, two rivals of it, and a map of what may not be covered. **You need** hooks (4.3), convolution
# and pooling (9.1, 9.2), pretrained networks (9.5) and the transposed convolution (9.6).

# %%
import contextlib
import copy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## Two networks on the table
#
# The first is small and ours: two convolutions, trained here on Fashion-MNIST. Its layers form one plain
# list, so a loop can walk through them in either direction.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# A short training is enough for a network that mostly gets it right; we want to question it, not to send
# it to a contest.

# %%
torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(8, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(24 * 49, 10)),
)
n_steps = 300
optimizer = torch.optim.Adam(model.parameters())
for step in range(n_steps):
    optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / n_steps)
    batch = torch.randint(len(train_images), (50,))
    loss = F.cross_entropy(model(train_images[batch, None]), train_labels[batch])  # (50, 1, 28, 28)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval().requires_grad_(False)
test_accuracy = (model(test_images[:, None]).argmax(dim=1) == test_labels).float().mean().item()
print(f"test accuracy {test_accuracy:.1%}")
assert test_accuracy > 0.75

# %% [markdown]
# The second is the SqueezeNet of lesson 9.5, trained on ImageNet. One change: its ReLUs work *in place*,
# which means that they write over their own input. Whoever wants to look at that input comes too late.

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
categories = weights_info.meta["categories"]
preprocess = weights_info.transforms()


def pretrained(inplace=False):
    """SqueezeNet 1.1 with the ImageNet weights in data/, in float32, frozen, in evaluation mode."""
    net = models.squeezenet1_1()
    with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
        net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = inplace
    return net.eval().requires_grad_(False)


net = pretrained()
photos = {}
for name in ("coffee", "rocket"):
    photo = torch.from_numpy(plt.imread(HERE / "data" / f"{name}.jpg").copy()).permute(2, 0, 1)  # (3, H, W)
    photos[name] = preprocess(photo)  # (3, 224, 224)
mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
shown = {name: (x * std + mean).clamp(0, 1).permute(1, 2, 0).numpy() for name, x in photos.items()}

# %% [markdown]
# ## Filters are small pictures
#
# A filter of the first layer meets pixels, so it can be shown as an image of its own size: of all patches
# of equal strength, it answers most to the one that looks like itself. Does a filter answer to brightness,
# or to differences? If its weights sum to zero, an even grey patch leaves it cold, however bright.


# %%
def mosaic(tiles, n_columns, gap):
    """Tiles (n, h, w) or (n, h, w, 3) as one picture, n_columns a row, framed by the value gap."""
    tiles = np.pad(tiles, ((0, 0), (1, 1), (1, 1), (0, 0))[: tiles.ndim], constant_values=gap)
    n, h, w, *color = tiles.shape
    rows = tiles.reshape(n // n_columns, n_columns, h, w, *color)  # (n, h, w) -> (R, n_columns, h, w)
    return rows.swapaxes(1, 2).reshape(n // n_columns * h, n_columns * w, *color)  # -> (R h, n_columns w)


first_weight = net.features[0].weight  # (64, 3, 3, 3)
sums = first_weight.sum(dim=(1, 2, 3)).abs()
balance = sums / first_weight.abs().sum(dim=(1, 2, 3))  # (64,): 0 is all difference, 1 is all brightness
n_balanced = int((balance < 0.05).sum())
print(f"{n_balanced} of {len(balance)} filters of SqueezeNet sum to less than 5 % of their size")
assert n_balanced > 40

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
own = model[0].weight[:, 0].numpy()  # (8, 1, 5, 5) -> (8, 5, 5)
limit = np.abs(own).max()
left.imshow(mosaic(own, 4, 0), cmap="RdBu", vmin=-limit, vmax=limit)
left.set(title="our network, 5 × 5", xlabel="red below zero, blue above")
largest = first_weight.abs().amax(dim=(1, 2, 3), keepdim=True)
tiles = (0.5 + first_weight / (2 * largest)).permute(0, 2, 3, 1)  # (64, C, 3, 3) -> (64, 3, 3, C)
right.imshow(mosaic(tiles[balance.argsort()].numpy(), 8, 1))
right.set(title="SqueezeNet, 3 × 3 in colour", xlabel="the most balanced come first, row by row")
for ax in (left, right):
    ax.set(xticks=[], yticks=[])
fig.suptitle("Most of SqueezeNet's first filters weigh one side, or one colour, against another")
plt.show()

# %% [markdown]
# Deeper filters have as many input channels as the layer before, dozens of them, and none is a colour.
# They cannot be shown like this. From here on we look at what the layers *do*.
#
# ## Activations by hooks
#
# A *forward hook* (4.3) is a function that PyTorch calls with a module's output each time the module has
# run. The network itself stays as it is. Remove a hook when done, or it will go on collecting.


# %%
def capture(model, names, x):
    """{name: output of that submodule} for one pass of x; names as in `model.named_modules()`.

    Raises AttributeError where there is no such submodule.
    """
    kept, handles = {}, []
    try:
        for name in names:
            module = model.get_submodule(name)
            handles.append(
                module.register_forward_hook(
                    lambda module, inputs, output, name=name: kept.update({name: output})
                )
            )
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return kept


# %% [markdown]
# The trap first. What does the first convolution of SqueezeNet put out, as a hook sees it, without
# and with ReLUs that work in place?

# %%
x = photos["coffee"][None]  # (3, 224, 224) -> (1, 3, 224, 224)
lowest = {}
for inplace in (False, True):
    first = capture(pretrained(inplace), ["features.0"], x)["features.0"]  # (1, 64, 111, 111)
    lowest[inplace] = first.min().item()
    print(f"inplace={inplace!s:12s}the first convolution's lowest output: {lowest[inplace]:.0f}")
assert lowest[False] < 0 == lowest[True]

# %% [markdown]
# With `inplace=True` the hook kept a tensor that the next layer then overwrote. Without
# it we can walk through the network. At each depth: how large is a map, and at how many places is a unit
# above zero?

# %%
depths = ("features.1", "features.4", "features.7", "features.10", "features.12")
maps = capture(net, depths, x)
active = {}
print(f"{'layer':20s}{'channels':>12s}{'map':>12s}{'active':>12s}")
for name, values in maps.items():
    active[name] = (values > 0).double().mean().item()
    size = f"{values.shape[2]} × {values.shape[3]}"
    print(f"{name:20s}{values.shape[1]:12d}{size:>12s}{active[name]:12.1%}")
assert active["features.1"] > 0.4 > active["features.7"] > active["features.12"]
assert active["features.12"] < 0.2

# %%
fig, axes = plt.subplots(3, 5, figsize=(10, 6.4), layout="constrained")
for column, (name, values) in zip(axes.T, maps.items()):
    strongest = values[0].amax(dim=(1, 2)).topk(3).indices  # (C, H, W) -> (C,) -> three channels
    for ax, channel in zip(column, strongest):
        ax.imshow(values[0, channel].numpy())
        ax.set(xticks=[], yticks=[], xlabel=f"channel {int(channel)}")
    column[0].set_title(f"{name}\n{active[name]:.0%} active", fontsize=10)
fig.suptitle("Deeper maps are coarser and mostly silent: their units wait for something rarer")
plt.show()

# %% [markdown]
# ## What excites a unit?
#
# One photo tells what a unit did once. Ask instead which of a thousand test images excite it most, and
# where. A *unit* here is one channel, wherever in its map it answers; we take those after the second ReLU
# of our small network. A unit that never fires has no top images, only ties, so we keep the *live* ones.

# %%
UNIT_LAYER = 4  # the second ReLU in `model`
hidden = capture(model, [str(UNIT_LAYER)], test_images[:, None])[str(UNIT_LAYER)]  # (1000, 24, 14, 14)
best, where = hidden.flatten(2).max(dim=2)  # (1000, 24, 196) -> (1000, 24) twice
live = (best.amax(dim=0) > 0).nonzero()[:, 0]
top = best.topk(9, dim=0).indices  # (9, 24)
n_kinds = torch.tensor([len(test_labels[top[:, unit]].unique()) for unit in live])
print(f"{len(live)} of {hidden.shape[1]} units are live")
print(f"kinds of clothes among a unit's top nine: {n_kinds.float().mean():.1f} on average")
assert len(live) > 12 and n_kinds.float().mean() > 2

# %% [markdown]
# So a unit is no class: several kinds of clothes stand side by side in its list. What do they share? A
# unit sees only its *receptive field*: three cells of the pooled map, two pixels each, and two more pixels
# on either side for the $5\times5$ filters. We cut out those ten by ten pixels.


# %%
def receptive_box(place):
    """Slices of the ten by ten pixels that cell `place` = 14 row + column of the 14 × 14 map sees.

    For an image padded by 4 on each side, (36, 36).
    """
    row, column = divmod(int(place), 14)
    return slice(2 * row, 2 * row + 10), slice(2 * column, 2 * column + 10)


fires = (hidden > 0).float().mean(dim=(0, 2, 3))  # (24,)
units = live[fires[live].argsort()[:3]]  # the three that fire least often
padded = F.pad(test_images, (4, 4, 4, 4))  # (1000, 36, 36)
patches = {}
for unit in units.tolist():
    patches[unit] = [padded[image][receptive_box(where[image, unit])] for image in top[:, unit]]
    kinds = [CLASSES[label] for label in test_labels[top[:, unit]]]
    print(f"unit {unit}: " + ", ".join(kinds))

# %% [markdown]
# Are a unit's patches more like each other than like those of another unit?


# %%
def likeness(tiles):
    """Mean correlation of two tiles, of one unit and of two units: (own, other).

    tiles: {unit: nine of (10, 10)}. In `own` each tile also meets itself, once in nine.
    """
    rows = torch.stack([tile for nine in tiles.values() for tile in nine]).flatten(1)  # (27, 100)
    groups = torch.corrcoef(rows).reshape(len(tiles), 9, len(tiles), 9).mean(dim=(1, 3))  # -> (3, 3)
    apart = groups[~torch.eye(len(tiles), dtype=torch.bool)]  # (6,)
    return groups.diagonal().mean().item(), apart.mean().item()


own, other = likeness(patches)
print(f"correlation of two patches: of one unit {own:.2f}, of two units {other:.2f}")
assert 0.4 < own <= 1 and -1 <= other < own - 0.2

# %% [markdown]
# ## Which pixels of the patch?
#
# To see what in a patch did it, send a signal from the unit back to the pixels. Each layer is undone as
# well as it can be: a convolution by the transposed convolution, a pool by putting each value back where
# the maximum came from. Those places are the *switches*. The question is what a ReLU should do.
#
# ## On paper first
#
# Three numbers $z = (2, -1, 3)$ met a ReLU on the way up. Now the signal $s = (-5, 4, 6)$ comes down.
#
# - The *gradient* asks who passed on the way up: $(-5, 0, 6)$.
# - The *deconvnet* rectifies what comes down, as it did going up: $(0, 4, 6)$.
# - *Guided backpropagation* asks for both: $(0, 0, 6)$.


# %%
RULES = ("gradient", "deconvnet", "guided")


def relu_backward(z, signal, rule):
    """The signal below a ReLU that had input z, both of one shape; rule: one of RULES.

    Raises ValueError for another rule, or where the shapes differ.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}")
    if z.shape != signal.shape:
        raise ValueError(f"z has shape {tuple(z.shape)} but the signal {tuple(signal.shape)}")
    if rule != "deconvnet":
        signal = signal * (z > 0)
    if rule != "gradient":
        signal = signal.clamp(min=0)
    return signal


z, signal = torch.tensor([2.0, -1.0, 3.0]), torch.tensor([-5.0, 4.0, 6.0])
for rule, expected in zip(RULES, ([-5, 0, 6], [0, 4, 6], [0, 0, 6])):
    print(f"{rule:20s}{relu_backward(z, signal, rule).tolist()}")
    assert relu_backward(z, signal, rule).tolist() == expected

# %% [markdown]
# ## From scratch: unpooling with switches
#
# `F.max_pool2d` can return the switches: for each window the flat index of its winner. Unpooling writes
# each value to its switch and leaves zeros elsewhere. Where windows overlap, one pixel may have won twice,
# so values add, as in every backward pass.


# %%
def unpool(signal, switches, size):
    """Each value of signal (N, C, H', W') at the flat index that switches, alike, names in (H, W) = size."""
    out = torch.zeros(*signal.shape[:2], size[0] * size[1], dtype=signal.dtype)  # (N, C, H W)
    out.scatter_add_(2, switches.flatten(2), signal.flatten(2))
    return out.reshape(*signal.shape[:2], *size)  # (N, C, H W) -> (N, C, H, W)


pooled, switches = F.max_pool2d(torch.tensor([[[[1.0, 7, 2, 0], [3, 4, 5, 6]]]]), 2, return_indices=True)
restored = unpool(pooled, switches, (2, 4))
print(restored[0, 0])
assert restored[0, 0].tolist() == [[0, 7, 0, 0], [0, 0, 0, 6]]

# %% [markdown]
# The whole way down is one loop. `walk` goes up and notes what entered each layer; `project` comes back
# with a signal for the last layer walked.


# %%
def walk(layers, x):
    """The output of the layers on x, and the list of (layer, what entered it)."""
    notes = []
    for layer in layers:
        notes.append((layer, x))
        x = layer(x)
    return x, notes


# %% [markdown]
# On the way down every kind of layer has its own line or two. A transposed convolution with a stride does
# not know how many rows its input had; `output_padding` tells it.


# %%
def project(notes, signal, rule):
    """The signal brought down through what `walk` noted, from the output's shape to the input's.

    Knows Conv2d (without groups or dilation), MaxPool2d (without padding), Linear, ReLU and Flatten;
    raises ValueError for another layer or rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}")
    for layer, x in reversed(notes):
        if isinstance(layer, nn.ReLU):
            signal = relu_backward(x, signal, rule)
        elif isinstance(layer, nn.Conv2d):
            stride, padding = layer.stride, layer.padding
            reached = [(signal.shape[i] - 1) * stride[i - 2] + layer.kernel_size[i - 2] for i in (2, 3)]
            rest = [x.shape[i] + 2 * padding[i - 2] - reached[i - 2] for i in (2, 3)]
            signal = F.conv_transpose2d(signal, layer.weight, None, stride, padding, rest)
        elif isinstance(layer, nn.MaxPool2d):
            _, switches = F.max_pool2d(x, layer.kernel_size, layer.stride, return_indices=True)
            signal = unpool(signal, switches, x.shape[2:])
        elif isinstance(layer, nn.Flatten):
            signal = signal.reshape(x.shape)  # (N, C H W) -> (N, C, H, W)
        elif isinstance(layer, nn.Linear):
            signal = signal @ layer.weight  # (N, n_out) @ (n_out, n_in) -> (N, n_in)
        else:
            raise ValueError(f"no way back through {type(layer).__name__}")
    return signal


# %% [markdown]
# ## Check: the gradient is one of the three
#
# With the rule "gradient" the loop must give what autograd gives, for any signal. In a copy without ReLUs
# the three rules have nothing to disagree about, so all must equal autograd there.

# %%
torch.manual_seed(0)
double = copy.deepcopy(model).double()
straight = nn.Sequential(*[layer for layer in double if not isinstance(layer, nn.ReLU)])
x = test_images[:3, None].double().requires_grad_()  # (3, 1, 28, 28)
cotangent = torch.randn(3, 10, dtype=torch.float64)
passes, without_relu = {}, {}
for layers, results in ((double, passes), (straight, without_relu)):
    out, notes = walk(layers, x)
    expected = torch.autograd.grad((out * cotangent).sum(), x)[0]
    for rule in RULES:
        results[rule] = project(notes, cotangent, rule).detach()
    torch.testing.assert_close(results["gradient"], expected, rtol=1e-10, atol=1e-12)
for rule in RULES:
    torch.testing.assert_close(without_relu[rule], expected, rtol=1e-10, atol=1e-12)
    difference = (passes[rule] - passes["gradient"]).norm() / passes["gradient"].norm()
    print(f"{rule:20s}differs from the gradient by {difference:.2f} of its length")
    assert rule == "gradient" or difference > 0.3
assert not torch.allclose(passes["deconvnet"], passes["guided"])

# %% [markdown]
# How does the deconvnet come to differ so much? It never asks which units were on. The image enters
# through the switches alone. Take the pools away, too, and it draws the same picture for *every* image, a
# boot or a bag. The other two keep watching the ReLUs.

# %%
unpooled = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).requires_grad_(False)
drawn = {rule: [] for rule in RULES}
for image in test_images[:2, None, None]:  # (1, 1, 28, 28) each
    out, notes = walk(unpooled, image)
    seed = torch.zeros_like(out)
    seed[0, :, 10:14, 10:14] = 1
    for rule in RULES:
        drawn[rule].append(project(notes, seed, rule))
for rule, (one, other) in drawn.items():
    print(f"{rule:20s}the same picture for two images: {torch.equal(one, other)}")
    assert torch.equal(one, other) == (rule == "deconvnet")

# %% [markdown]
# Now the top patches of the three units. The seed is one at the unit's strongest place and zero elsewhere.
# Outside its receptive field nothing may arrive: if it does, the box or the loop is wrong.

# %%
drawings = {}
for unit in units.tolist():
    drawings[unit] = []
    for image in top[:, unit]:
        out, notes = walk(model[: UNIT_LAYER + 1], test_images[image][None, None])  # (1, 24, 14, 14)
        seed = torch.zeros_like(out)
        seed.view(24, -1)[unit, where[image, unit]] = 1  # (1, 24, 14, 14) -> (24, 196)
        picture = F.pad(project(notes, seed, "deconvnet")[0, 0], (4, 4, 4, 4))  # (36, 36)
        inside = picture[receptive_box(where[image, unit])]  # (10, 10)
        assert inside.count_nonzero() == picture.count_nonzero() > 0
        drawings[unit].append(inside)
own, other = likeness(drawings)
print(f"correlation of two drawings: of one unit {own:.2f}, of two units {other:.2f}")
assert 0.4 < own <= 1 and -1 <= other < own - 0.2

# %%
fig, axes = plt.subplots(2, 3, figsize=(10, 6.6), layout="constrained")
for (above, below), unit in zip(axes.T, units.tolist()):
    above.imshow(mosaic(np.stack(patches[unit]), 3, 1), cmap="gray", vmin=0, vmax=1)
    limit = max(float(picture.abs().max()) for picture in drawings[unit])
    below.imshow(mosaic(np.stack(drawings[unit]), 3, 0), cmap="RdBu", vmin=-limit, vmax=limit)
    above.set(xticks=[], yticks=[], title=f"unit {unit}: its top nine patches")
    below.set(xticks=[], yticks=[], title="their deconvnet", xlabel="red below zero, blue above")
fig.suptitle("Different clothes, one detail: a unit's patches are alike, and so are their drawings")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# On a network that is no list, hooks do it. A *full backward hook* on a ReLU receives the gradient
# above (`grad_output`) and below it (`grad_input`), and what it returns takes the latter's place. The rest
# of the way down is autograd's own.


# %%
@contextlib.contextmanager
def relu_rule(model, rule):
    """Within it, the backward pass of every nn.ReLU in model follows rule, one of RULES, else ValueError."""
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}")

    def hook(module, grad_input, grad_output):
        if rule == "gradient":
            return None  # leave it as it is
        chosen = grad_input[0] if rule == "guided" else grad_output[0]
        return (chosen.clamp(min=0),)

    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    handles = [relu.register_full_backward_hook(hook) for relu in relus]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# %% [markdown]
# On our small network both can run. Same weights, same images, same signal; we compare what arrives at the
# pixels, in float32.

# %%
x = test_images[:3, None].requires_grad_()  # (3, 1, 28, 28)
largest = 0.0
for rule in RULES:
    out, notes = walk(model, x)
    ours = project(notes, cotangent.float(), rule)
    with relu_rule(model, rule):
        theirs = torch.autograd.grad((model(x) * cotangent.float()).sum(), x)[0]
    largest = max(largest, (ours - theirs).abs().max().item())
print(f"hooks against the loop, largest difference {largest:.1e}")
assert largest < 1e-4

# %% [markdown]
# Now SqueezeNet and the coffee: the strongest unit of the last feature layer, one seed signal, three
# rules. As a number for what the eye sees, we correlate, in and around the mouth of the cup, the size of
# each picture with the photo's edges (the step to the next pixel), both averaged over $5\times5$ pixels.

# %%
x = photos["coffee"][None].clone().requires_grad_()  # (1, 3, 224, 224)
down, across = (x.detach().diff(dim=axis).abs().sum(dim=1) for axis in (2, 3))  # steps to the next pixel
edges = F.pad(down, (0, 0, 0, 1)) + F.pad(across, (0, 1))  # (1, 224, 224)


def smooth(picture):
    """Averages over 5 × 5 pixels of the cup's mouth, from (1, 224, 224), flat."""
    return F.avg_pool2d(picture[:, 50:160, 40:190], 5, stride=1).flatten()


views, edge_likeness = {}, {}
for rule in RULES:
    with relu_rule(net, rule):
        h = net.features(x)[0]  # (512, 13, 13)
        strongest = int(h.detach().amax(dim=(1, 2)).argmax())
        views[rule] = torch.autograd.grad(h[strongest].max(), x)[0][0]  # (3, 224, 224)
    size = views[rule].abs().sum(dim=0, keepdim=True)  # (1, 224, 224)
    edge_likeness[rule] = torch.corrcoef(torch.stack([smooth(size), smooth(edges)]))[0, 1].item()
    print(f"{rule:20s}correlation with the photo's edges {edge_likeness[rule]:.2f}")
assert edge_likeness["guided"] > 0.1 > edge_likeness["gradient"]

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.9), layout="constrained")
axes[0].imshow(shown["coffee"])
axes[0].set_title("the photo")
for ax, (rule, view) in zip(axes[1:], views.items()):
    limit = view.abs().quantile(0.999)
    ax.imshow((0.5 + view / (2 * limit)).clamp(0, 1).permute(1, 2, 0).numpy())  # grey is zero
    ax.set_title(rule)
for ax in axes:
    ax.set(xticks=[], yticks=[])
fig.suptitle(f"Unit {strongest}, one signal: the rule at the ReLU decides between noise and a cup's rim")
plt.show()

# %% [markdown]
# The guided picture is the prettiest. Is it also the truest? It follows edges, and a picture of edges
# would look good whatever the network had learned. Lesson 10.4 puts that to the test.
#
# ## What may not be covered
#
# The last question needs no look inside. Cover a part of the photo with a grey square and ask for the
# probability of the class. Slide the square over the photo: where the probability falls, something under
# the square mattered. Grey is zero after the preprocessing, the mean colour of ImageNet.


# %%
def occlusion_loops(model, x, category, size=64, stride=16):
    """Probability of category with a grey square of `size` pixels on x (C, H, W) at every stride-th place."""
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:])
    out = torch.empty(rows, columns)
    for row, column in np.ndindex(rows, columns):
        covered = x.clone()
        covered[:, row * stride : row * stride + size, column * stride : column * stride + size] = 0
        out[row, column] = model(covered[None])[0].softmax(dim=0)[category]  # (1, C, H, W)
    return out


# %% [markdown]
# ## The same, faster
#
# The passes do not depend on each other, so some can share one: a batch of covered copies. Store these
# with channels last, as in lesson 9.6, and the convolutions copy less. A small batch is enough; a large
# one fills the memory with photos and outgrows the processor's caches.


# %%
def occlusion_map(model, x, category, size=64, stride=16, batch_size=11):
    """Like `occlusion_loops`, batch_size places a pass: (rows, columns) probabilities.

    Raises ValueError where x is not (C, H, W) or the square does not fit.
    """
    if x.ndim != 3 or size > min(x.shape[1:]):
        raise ValueError(f"no square of {size} pixels fits into an image of shape {tuple(x.shape)}")
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:])
    corners = [(row * stride, column * stride) for row, column in np.ndindex(rows, columns)]
    probabilities = []
    for start in range(0, len(corners), batch_size):
        some = corners[start : start + batch_size]
        covered = x.repeat(len(some), 1, 1, 1)  # (C, H, W) -> (B, C, H, W)
        covered = covered.contiguous(memory_format=torch.channels_last)  # the same shape
        for image, (top, left) in zip(covered, some):
            image[:, top : top + size, left : left + size] = 0
        with torch.no_grad():
            probabilities.append(model(covered).softmax(dim=1)[:, category])  # (B,)
    return torch.cat(probabilities).reshape(rows, columns)  # (rows * columns,) -> (rows, columns)


x, label = test_images[0][None], int(test_labels[0])  # (1, 28, 28)
ours = occlusion_map(model, x, label, size=8, stride=4)
torch.testing.assert_close(ours, occlusion_loops(model, x, label, size=8, stride=4), rtol=1e-4, atol=1e-5)
print(f"a map of {tuple(ours.shape)}, batched as one by one")

# %% [markdown]
# On the photos: the coffee, which the network is sure of, and the rocket, where "missile" is a guess. The
# cup reaches from row 0 to 140 and from column 35 to 190. What is the square's centre where it hurts most?

# %%
occluded, whole = {}, {}
for name, x in photos.items():
    probabilities = net(x[None])[0].softmax(dim=0)  # (1000,)
    category = int(probabilities.argmax())
    whole[name] = probabilities[category].item()
    occluded[name] = occlusion_map(net, x, category)  # (11, 11)
    place = np.unravel_index(int(occluded[name].argmin()), occluded[name].shape)
    worst = tuple(16 * int(index) + 32 for index in place)
    print(f"{categories[category]}: {whole[name]:.2f} uncovered, ", end="")
    print(f"{occluded[name].min():.2f} with the square's centre at row {worst[0]}, column {worst[1]}")
    if name == "coffee":
        assert 0 < worst[0] < 140 and 35 < worst[1] < 190 and occluded[name].min() < whole[name] - 0.2

# %% [markdown]
# The coffee's map is lowest on the cup. The rocket holds a warning. A square over the whole width of the
# rocket (column 5 of the map) leaves most of the probability. A square flush with its axis, which hides
# one half of it and the sky beside (columns 3 and 7), leaves less than half of that. A covered photo is a
# new photo, with new edges: a low cell says that *this* change mattered, not that the object is there.

# %%
rows = slice(3, 6)  # squares that cover the upper half of the rocket
hidden_whole = occluded["rocket"][rows, 5].mean().item()
hidden_half = occluded["rocket"][rows][:, [3, 7]].mean().item()
print(f"missile: rocket covered {hidden_whole:.3f}, one half of it {hidden_half:.3f}")
assert hidden_whole > 2 * hidden_half and hidden_whole > whole["rocket"] / 2

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for (photo_ax, map_ax), name in zip((axes[:2], axes[2:]), photos):
    photo_ax.imshow(shown[name])
    image = map_ax.imshow(occluded[name].numpy(), extent=(24, 200, 200, 24))  # cells at the squares' centres
    map_ax.set(xlim=(0, 223), ylim=(223, 0), xlabel="column of the square's centre", ylabel="row")
    photo_ax.set(xlabel="column", title=name)
    map_ax.set_title(f"{'espresso' if name == 'coffee' else 'missile'}: {whole[name]:.2f} uncovered")
    fig.colorbar(image, ax=map_ax, label="probability")
fig.suptitle("Espresso falls when the cup is covered; missile when half of the rocket is, not all of it")
plt.show()

# %% [markdown]
# ## What to remember
#
# - First-layer filters are pictures of what they answer to; most weigh one side against another.
# - Hooks read any layer without touching the network. Set `inplace=False` first.
# - A unit's top images tell what it waits for. It is rarely a class.
# - Gradient, deconvnet and guided backpropagation differ in one line, at the ReLU. The prettiest is not
#   for that reason the truest.
# - Occlusion asks the network itself. It costs a pass for each place, and it can surprise.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. In a cell of your own, show the top patches of the three units that fire most often. What do they
#    share?
# 2. Copy `occlusion_map` and let the copy cover with the photo's mean colour instead of grey. Which cells
#    of the rocket's map change?
# 3. In a cell of your own, draw `occlusion_map` of both photos with `size=32`. Whose map fades first, and
#    why?
#
# ## Sources
#
# - M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", 2014, sections 2 and 4:
#   deconvnet, top patches, occlusion.
# - K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2014, section 4: the
#   gradient and the deconvnet side by side.
# - J. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving for simplicity: the all
#   convolutional net", 2015, section 3.4: guided backpropagation, and the deconvnet without pools.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the data (MIT, Zalando SE).
# - F. Iandola and others, "SqueezeNet", 2016: the network.
