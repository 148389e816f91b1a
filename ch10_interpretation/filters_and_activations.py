# %% [markdown]
# # 10.1 Filters and activations: asking a network what it looks at
#
# A network sees a photo of a cup and says "espresso" with great certainty. Which part of the photo made it
# say so: the rim, the foam, or the wooden table? With a person we could only ask. In a network every
# weight and every number in between lies open, so we can look at its filters, at what each layer does with
# a photo, and at what happens if a part of the photo is covered. Teams do this before they trust a model,
# because a network can be right for a reason that has nothing to do with the object (10.4).
#
# **You will build** pictures of filters and activations, the _deconvnet_ of Zeiler and Fergus (2014),
# which leads from a unit back to the pixels that excited it, two alternatives to it, and a map of what
# must not be covered. **You need** hooks (4.3), convolution and its receptive field (9.1), max pooling
# (9.2), SqueezeNet (9.5) and the transposed convolution (9.6).

# %%
import contextlib
import copy
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# To see which pixels excited a unit, we send a signal from the unit back to the image. Convolutions pass
# it on like any gradient (9.6), and at each ReLU there is a choice. Three numbers $z = (2, -1, 3)$ met a
# ReLU on the way up, and now the signal $(-5, 4, 6)$ comes down:
#
# $$\begin{aligned}
#   \text{gradient: passes where } z > 0 \quad & (-5, 0, 6) \\
#   \text{deconvnet: passes where the signal is positive} \quad & (0, 4, 6) \\
#   \text{guided backpropagation: passes where both are} \quad & (0, 0, 6)
# \end{aligned}$$
#
# The gradient tells what a small change would do. The *deconvnet* treats the signal as the network treats
# its activations and cuts off what is negative. *Guided backpropagation* asks for both conditions.


# %%
RULES = ("gradient", "deconvnet", "guided")


def relu_backward(z, signal, rule):
    """The signal below a ReLU that had input z, both of one shape; rule: one of RULES.

    Raises ValueError for another rule, or if the shapes differ.
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


for rule, expected in zip(RULES, ([-5, 0, 6], [0, 4, 6], [0, 0, 6])):
    below = relu_backward(torch.tensor([2.0, -1.0, 3.0]), torch.tensor([-5.0, 4.0, 6.0]), rule)
    print(f"{rule:20s}{below.tolist()}")
    assert below.tolist() == expected

# %% [markdown]
# ## Two networks, and their first filters
#
# The first network is small and ours, with two convolutions, trained on Fashion-MNIST. Its layers form one
# list, so a loop can walk through them in either direction.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)


# %%
def train(seed, n_epochs=3):
    """A network of two convolutions, trained on the Fashion-MNIST images; frozen, in evaluation mode."""
    torch.manual_seed(seed)
    model = nn.Sequential(  # the stars only put the layers of a block on one line
        *(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(24 * 49, 10)),
    )
    loader = DataLoader(TensorDataset(train_images[:, None], train_labels), batch_size=50, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, n_epochs * len(loader))
    model.train()
    for _ in range(n_epochs):
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)  # (50, 1, 28, 28) -> (50, 10) -> ()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval().requires_grad_(False)


model = train(seed=0)
test_accuracy = (model(test_images[:, None]).argmax(dim=1) == test_labels).float().mean().item()
print(f"test accuracy {test_accuracy:.1%}")

# %% [markdown]
# The second network is the SqueezeNet of lesson 9.5, trained on ImageNet. As it comes, its ReLUs work in
# place, which means that they write over their own input. We switch that off and shall see why. (For a
# photo of your own, put its path into `FILES`; 2.1 says which files work.)

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
FILES = {"coffee": HERE / "data" / "coffee.jpg", "rocket": HERE / "data" / "rocket.jpg"}
photos = {}
for name, file in FILES.items():
    photo = plt.imread(file)  # (H, W, 3) uint8
    if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
        raise ValueError(
            f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
        )
    photos[name] = preprocess(torch.from_numpy(photo.copy()).permute(2, 0, 1))  # (3, H, W) -> (3, 224, 224)
mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
shown = {name: (x * std + mean).clamp(0, 1).permute(1, 2, 0).numpy() for name, x in photos.items()}

# %% [markdown]
# A filter of the first layer meets pixels, so it can be shown as an image of its own size. Of all patches
# of equal length it responds most to the one that looks like itself (9.1). Does a filter respond to
# brightness, or to differences? If its weights sum to zero, an evenly grey patch gives zero, however
# bright it is.


# %%
def mosaic(tiles, n_columns, gap):
    """Tiles (n, h, w) or (n, h, w, 3) as one picture, n_columns in each row, framed by the value gap."""
    frame = ((0, 0), (1, 1), (1, 1), (0, 0))[: tiles.ndim]  # one pixel around h and w; grey tiles: 3 axes
    tiles = np.pad(tiles, frame, constant_values=gap)
    n, h, w, *color = tiles.shape
    rows = tiles.reshape(n // n_columns, n_columns, h, w, *color)  # (n, h, w) -> (R, n_columns, h, w)
    return rows.swapaxes(1, 2).reshape(n // n_columns * h, n_columns * w, *color)  # -> (R h, n_columns w)


first_weight = net.features[0].weight  # (64, 3, 3, 3)
sums = first_weight.sum(dim=(1, 2, 3)).abs()
balance = sums / first_weight.abs().sum(dim=(1, 2, 3))  # (64,): 0 is all difference, 1 is all brightness
n_balanced = int((balance < 0.05).sum())
print(f"{n_balanced} of {len(balance)} filters of SqueezeNet sum to less than 5 % of their size")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
own_weight = model[0].weight[:, 0].numpy()  # (8, 1, 5, 5) -> (8, 5, 5)
limit = np.abs(own_weight).max()
left.imshow(mosaic(own_weight, 4, 0), cmap="RdBu", vmin=-limit, vmax=limit)
left.set(title="our network, 5 × 5", xlabel="red below zero, blue above")
largest = first_weight.abs().amax(dim=(1, 2, 3), keepdim=True)
tiles = (0.5 + first_weight / (2 * largest)).permute(0, 2, 3, 1)  # (64, 3, 3, 3) -> (64, 3, 3, colour)
right.imshow(mosaic(tiles[balance.argsort()].numpy(), 8, 1))
right.set(title="SqueezeNet, 3 × 3 in colour", xlabel="smallest sum first, row by row")
for ax in (left, right):
    ax.set(xticks=[], yticks=[])
fig.suptitle("The filters of the first layer")
plt.show()

# %% [markdown]
# On the left, a few of our filters have a light and a dark side, and the others still look like noise
# after three epochs. Most of SqueezeNet's filters sum to nearly zero: they weigh one side against the
# other, or one colour against another, and so respond to edges and to colour contrasts. Only those in the
# last rows respond to brightness. Filters of deeper layers have dozens of input channels that are no
# colours, and cannot be shown in this way. From here on we look at what the layers do with an image.
#
# ## Activations, read by hooks
#
# A *forward hook* is a function that PyTorch calls with a module's output each time the module has run
# (4.3). It must be removed after use, or it goes on collecting.


# %%
def capture(model, names, x):
    """{name: output of that submodule} for one pass of x; names as in `model.named_modules()`.

    Raises AttributeError if there is no such submodule.
    """
    outputs = {}
    handles = []

    def keep_as(name):  # makes a hook that knows its name
        def hook(module, inputs, output):
            outputs[name] = output

        return hook

    try:
        for name in names:
            handles.append(model.get_submodule(name).register_forward_hook(keep_as(name)))
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


lowest = {}
for inplace in (False, True):
    first = capture(pretrained(inplace), ["features.0"], photos["coffee"][None])["features.0"]
    lowest[inplace] = first.min().item()  # first: (1, 64, 111, 111)
    print(f"inplace={inplace!s:12s}the first convolution's lowest output: {lowest[inplace]:.0f}")

# %% [markdown]
# A convolution's output should have negative numbers, and with `inplace=True` the hook shows none. It kept
# the tensor itself, and the ReLU behind it then wrote zeros into that tensor, without any error message.
#
# Now we walk through the network, at five depths. How large is a map there, and at how many of its places
# is a unit above zero?

# %%
DEPTHS = ("features.1", "features.4", "features.7", "features.10", "features.12")
maps = {name: capture(net, DEPTHS, x[None]) for name, x in photos.items()}
active = {}
print(f"{'layer':20s}{'channels':>12s}{'map':>12s}{'coffee':>12s}{'rocket':>12s}   (share above zero)")
for depth in DEPTHS:
    active[depth] = [(maps[name][depth] > 0).double().mean().item() for name in photos]
    _, channels, height, width = maps["coffee"][depth].shape
    shares = "".join(f"{share:12.1%}" for share in active[depth])
    print(f"{depth:20s}{channels:12d}{f'{height} × {width}':>12s}{shares}")

fig, axes = plt.subplots(3, 5, figsize=(10, 6.4), layout="constrained")
for column, (depth, values) in zip(axes.T, maps["coffee"].items()):
    strongest = values[0].amax(dim=(1, 2)).topk(3).indices  # (C, H, W) -> (C,) -> three channels
    for ax, channel in zip(column, strongest):
        ax.imshow(values[0, channel].numpy())
        ax.set(xticks=[], yticks=[], xlabel=f"channel {int(channel)}")
    column[0].set_title(f"{depth}\n{active[depth][0]:.0%} above zero", fontsize=10)
fig.suptitle("The three channels with the highest activation at each depth, for the coffee")
plt.show()

# %% [markdown]
# From left to right the maps become coarser and emptier. In the first column one can still see the photo.
# In the last one a channel is zero almost everywhere and high in a few cells, so its units respond to
# something rare. On both photos the share above zero falls from each depth to the next.
#
# ## From a unit back to the pixels
#
# A map shows where a channel was active, but which pixels excited it there? (By a unit we mean one channel,
# or one cell of it if the place matters.) The deconvnet undoes each layer as well as possible. A
# convolution is undone by the transposed convolution, and a max pool by writing each value back to the
# place from which the maximum came. Those places are called the *switches*. `F.max_pool2d` returns them as
# flat indices. If windows overlap, one pixel may have won twice, so the values add up, as in any backward
# pass.


# %%
def unpool(signal, switches, size):
    """Each value of signal (N, C, H', W') at its flat index in switches, of the same shape: (N, C, *size)."""
    out = torch.zeros(*signal.shape[:2], size[0] * size[1], dtype=signal.dtype)  # (N, C, H W)
    out.scatter_add_(2, switches.flatten(2), signal.flatten(2))
    return out.reshape(*signal.shape[:2], *size)  # (N, C, H W) -> (N, C, H, W)


pooled, switches = F.max_pool2d(torch.tensor([[[[1.0, 7, 2, 0], [3, 4, 5, 6]]]]), 2, return_indices=True)
restored = unpool(pooled, switches, (2, 4))
print(restored[0, 0])
assert restored[0, 0].tolist() == [[0, 7, 0, 0], [0, 0, 0, 6]]

# %% [markdown]
# The whole way is one loop. `walk` goes up and keeps what entered each layer, and `project` comes back
# with a signal for the last layer walked. A transposed convolution with a stride cannot know how many
# rows its input had, so `output_padding` tells it.


# %%
def walk(layers, x):
    """The output of the layers on x, and the list of (layer, its input)."""
    inputs = []
    for layer in layers:
        inputs.append((layer, x))
        x = layer(x)
    return x, inputs


def project(inputs, signal, rule):
    """The signal brought down through what `walk` kept, from the output's shape to the input's.

    Knows Conv2d (without groups or dilation), MaxPool2d (without padding), Linear, ReLU and Flatten;
    raises ValueError for another layer or rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}")
    for layer, x in reversed(inputs):
        if isinstance(layer, nn.ReLU):
            signal = relu_backward(x, signal, rule)
        elif isinstance(layer, nn.Conv2d):
            missing = []  # rows and columns of x that the filters' last step did not reach
            for n_out, n_in, size, step, pad in zip(
                signal.shape[2:], x.shape[2:], layer.kernel_size, layer.stride, layer.padding
            ):
                missing.append(n_in + 2 * pad - ((n_out - 1) * step + size))
            signal = F.conv_transpose2d(
                signal, layer.weight, stride=layer.stride, padding=layer.padding, output_padding=missing
            )
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
# ## The same in PyTorch
#
# The loop needs a network that is one list. On any network autograd can walk back, while hooks change what
# it does at the ReLUs. A *full backward hook* on a module receives the gradient above the module
# (`grad_output`) and below it (`grad_input`), and what the hook returns replaces `grad_input`. The hooks
# must be removed afterwards, even after an error, so we write a *context manager*, something to be used
# after `with`. What stands before `yield` runs when the block begins, and what stands after `finally` runs
# when it ends. (The package `captum` has `GuidedBackprop(net).attribute(x, target=c)` and `Deconvolution`.
# They start from one score of the whole network, and ours from any unit.)


# %%
@contextlib.contextmanager
def relu_rule(model, rule):
    """Within it, the backward pass of every nn.ReLU in model follows rule, one of RULES.

    Raises ValueError for another rule, or if a ReLU works in place.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}")
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    if any(relu.inplace for relu in relus):
        raise ValueError("a ReLU works in place: set its `inplace` to False first")

    def hook(module, grad_input, grad_output):
        if rule == "gradient":
            return None  # leave it as it is
        # grad_input has already lost what came where z was not above zero; the deconvnet keeps that
        signal = grad_input[0] if rule == "guided" else grad_output[0]
        return (signal.clamp(min=0),)

    handles = [relu.register_full_backward_hook(hook) for relu in relus]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


torch.manual_seed(0)
double = copy.deepcopy(model).double()
x_double = test_images[:3, None].double().requires_grad_()  # (3, 1, 28, 28)
cotangent = torch.randn(3, 10, dtype=torch.float64)  # a random signal for the scores
arrived = {}
for rule in RULES:
    _, inputs = walk(double, x_double)
    arrived[rule] = project(inputs, cotangent, rule).detach()
    with relu_rule(double, rule):
        theirs = torch.autograd.grad((double(x_double) * cotangent).sum(), x_double)[0]
    torch.testing.assert_close(arrived[rule], theirs, rtol=1e-10, atol=1e-12)
plain_gradient = torch.autograd.grad((double(x_double) * cotangent).sum(), x_double)[0]
torch.testing.assert_close(arrived["gradient"], plain_gradient, rtol=1e-10, atol=1e-12)
for rule in RULES:
    difference = (arrived[rule] - plain_gradient).norm() / plain_gradient.norm()
    print(f"{rule:20s}hooks and loop agree; differs from the gradient by {difference:.2f} of its length")

# %% [markdown]
# ## From the first layer to the last
#
# With the hooks we can draw SqueezeNet's units. At each of the five depths we take the unit with the
# highest activation on the coffee, and show the three pictures, and the part of the photo that the
# deconvnet's signal reaches. (It is the unit's receptive field less the pixels to which the way back is
# closed, by a max pool that another pixel won or by a ReLU that cut the signal off.) What should change
# from the first column to the last?

# %%
x = photos["coffee"][None].clone().requires_grad_()  # (1, 3, 224, 224)
views = {}
for depth in DEPTHS:
    views[depth] = {}
    for rule in RULES:
        with relu_rule(net, rule):
            out = net.features[: int(depth.removeprefix("features.")) + 1](x)  # (1, C, h, w)
            views[depth][rule] = torch.autograd.grad(out.max(), x)[0][0]  # (3, 224, 224)


def extent(view):
    """First and last row and column of what is not zero in a view (3, H, W), as two slices."""
    rows, columns = view.abs().sum(dim=0).nonzero().T  # (n, 2) -> two of (n,)
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


fig, axes = plt.subplots(4, 5, figsize=(10, 8.6), layout="constrained")
for column, depth in zip(axes.T, DEPTHS):
    box = extent(views[depth]["deconvnet"])
    column[0].imshow(shown["coffee"][box])
    column[0].set_title(
        f"{depth}\n{box[0].stop - box[0].start} × {box[1].stop - box[1].start} pixels", fontsize=10
    )
    for ax, rule in zip(column[1:], RULES):
        view = views[depth][rule][:, *box]
        limit = 2 * view.abs().quantile(0.995) + 1e-12
        ax.imshow((0.5 + view / limit).clamp(0, 1).permute(1, 2, 0).numpy())  # grey is zero
    for ax in column:
        ax.set(xticks=[], yticks=[])
for ax, name in zip(axes[:, 0], ("photo", *RULES)):
    ax.set_ylabel(name)
fig.suptitle("The most active unit at five depths: the pixels that its signal reaches, by three rules")
plt.show()

# %% [markdown]
# In the first column the signal reaches three by three pixels and all three rules draw the same, the
# unit's filter, because its own ReLU is the only one on the path. Further right a unit sees more of the
# photo, first an edge, then the spoon, then the whole cup, and the rules draw different pictures. In the
# last two columns the gradient looks like noise, while the other two draw the outline of the spoon and
# the rim of the cup.
#
# Guided backpropagation draws the prettiest picture, but is it the truest? A picture of edges would look
# good whatever the network had learned. Lesson 10.5 tests that.
#
# ## What must not be covered?
#
# For the last question we need no look inside. We cover a part of the photo with a grey square and ask for
# the probability of the class, with the square at one place after the other. Where the probability falls,
# something under the square mattered. This is *occlusion*, also from Zeiler and Fergus. Grey is zero after
# the preprocessing, the mean colour of ImageNet.


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


probability = {}
occluded = {}
chosen = {}
for name, x in photos.items():
    probabilities = net(x[None])[0].softmax(dim=0)  # (1000,)
    chosen[name] = int(probabilities.argmax())
    probability[name] = probabilities[chosen[name]].item()
    occluded[name] = occlusion_loops(net, x, chosen[name])  # (11, 11)

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for (photo_ax, map_ax), name in zip((axes[:2], axes[2:]), photos):
    photo_ax.imshow(shown[name])
    image = map_ax.imshow(occluded[name].numpy(), extent=(24, 200, 200, 24))  # cells at the squares' centres
    map_ax.set(xlim=(0, 223), ylim=(223, 0), xlabel="column of the square's centre", ylabel="row")
    photo_ax.set(xlabel="column", title=name)
    map_ax.set_title(f"{categories[chosen[name]]}: {probability[name]:.2f} uncovered")
    fig.colorbar(image, ax=map_ax, label="probability")
fig.suptitle("The probability of the class with a grey square on the photo")
plt.show()

# %% [markdown]
# The coffee's map answers the question of the opening. It is lowest with the square on the middle of the
# foam and on the far rim of the cup, so both of them count. On the table (upper right), and on saucer and
# spoon (the lowest rows), the square costs little. The rocket's map holds a warning. A square over the
# whole width of the rocket (column 5 of the map, with its centre at 112) leaves most of the probability,
# and a square that hides one half of it and the sky beside it (columns 3 and 7, at 80 and 144) leaves less.
# A covered photo is a new photo, with new edges, and what the network says to it is not only due to what is
# missing. So a low cell says that this change mattered and not that the object is there.

# %%
worst = np.unravel_index(int(occluded["coffee"].argmin()), (11, 11))
worst_centre = [16 * int(index) + 32 for index in worst]  # the square at place i begins at pixel 16 i
upper_half = slice(3, 6)  # rows of squares that cover the upper half of the rocket
rocket_covered = occluded["rocket"][upper_half, 5].mean().item()
half_covered = occluded["rocket"][upper_half][:, [3, 7]].mean().item()
print(f"espresso is lowest with the square's centre at row {worst_centre[0]}, column {worst_centre[1]}")
print(
    f"missile: {probability['rocket']:.2f} uncovered, {rocket_covered:.2f} with the rocket covered, "
    f"{half_covered:.2f} with half of it covered"
)

# %% [markdown]
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert test_accuracy > 0.75, "the small network mostly gets it right"
assert n_balanced > 40, "most of SqueezeNet's first filters sum to nearly zero"
assert lowest[False] < 0, "a convolution has negative outputs"
assert lowest[True] == 0, "with ReLUs in place a hook does not see them"
for i in range(len(photos)):
    falling = np.diff([active[depth][i] for depth in DEPTHS])
    assert falling.max() < 0, "from each depth to the next fewer units are active"
assert worst_centre[0] < 140, "espresso falls most with the square's centre on the rows of the cup"
assert 35 < worst_centre[1] < 190, "and on its columns"
for place in ((4, 5), (0, 6)):  # the middle of the foam, the far rim
    assert occluded["coffee"][place] < probability["coffee"] - 0.2, "foam and rim cost espresso much"
for covered in (occluded["coffee"][0, 9:], occluded["coffee"][7:]):
    assert covered.min() > probability["coffee"] - 0.15, "table, saucer and spoon cost it little"
assert rocket_covered > 0.6 * probability["rocket"], "the covered rocket keeps most of its probability"
assert rocket_covered > 1.5 * half_covered, "the half covered one keeps less"

# %% [markdown]
# ## Going further
#
# This part can be skipped: it looks for the images that excite a unit most, with which lesson 10.2 begins,
# then more closely at the three rules, and makes the occlusion map fast enough for many photos.
#
# ### What excites a unit?
#
# One photo tells what a unit did once. Zeiler and Fergus asked instead which images of a whole test set
# excite it most, and at which place. We do that for the 24 channels after the second ReLU of our small
# network. Such a unit does not see the whole image, but a receptive field (9.1) of ten by ten pixels:
# three cells of the pooled map, which are two pixels each, and two more on either side for the $5 \times
# 5$ filters. We cut these pixels out of the nine images that excite a unit most, and look more closely at
# the three units that are active least often. Will the nine images be of one class?


# %%
def receptive_box(place):
    """Slices of the ten by ten pixels that cell `place` = 14 row + column of the 14 × 14 map sees.

    For an image padded by 4 on each side, (36, 36).
    """
    row, column = divmod(int(place), 14)
    return slice(2 * row, 2 * row + 10), slice(2 * column, 2 * column + 10)


UNIT_LAYER = 4  # the second ReLU in `model`
hidden = capture(model, [str(UNIT_LAYER)], test_images[:, None])[str(UNIT_LAYER)]  # (1000, 24, 14, 14)
best, where = hidden.flatten(2).max(dim=2)  # (1000, 24, 196) -> (1000, 24) twice
top = best.topk(9, dim=0).indices  # (9, 24)
active_units = (best.amax(dim=0) > 0).nonzero()[:, 0]  # a unit that is never above zero has no top nine
n_kinds = torch.tensor([len(test_labels[top[:, unit]].unique()) for unit in active_units]).double()
print(f"{len(active_units)} of {hidden.shape[1]} units are active for some test image")
print(f"classes among the top nine of a unit: {n_kinds.mean():.1f} on average")

fires = (hidden > 0).double().mean(dim=(0, 2, 3))  # (24,)
units = active_units[fires[active_units].argsort()[:3]].tolist()  # the three that are active least often
padded = F.pad(test_images, (4, 4, 4, 4))  # (1000, 36, 36)
patches = {}
for unit in active_units.tolist():
    patches[unit] = [padded[image][receptive_box(where[image, unit])] for image in top[:, unit]]
for unit in units:
    print(f"unit {unit}: " + ", ".join(CLASSES[label] for label in test_labels[top[:, unit]]))

# %% [markdown]
# A unit is no class, since several kinds of garments stand in its list. What they share must be in the ten
# by ten pixels, a detail that occurs on different garments. We draw these patches, and below them what the
# deconvnet finds in each.
#
# The signal is one at the unit's strongest place and zero
# elsewhere. Outside the receptive field nothing may arrive, or the box or the loop would be wrong.

# %%
drawings = {}
for unit in units:
    drawings[unit] = []
    for image in top[:, unit]:
        out, inputs = walk(model[: UNIT_LAYER + 1], test_images[image][None, None])  # (1, 24, 14, 14)
        start_signal = torch.zeros_like(out)
        start_signal.view(24, -1)[unit, where[image, unit]] = 1  # (1, 24, 14, 14) -> (24, 196)
        whole_picture = F.pad(project(inputs, start_signal, "deconvnet")[0, 0], (4, 4, 4, 4))  # (36, 36)
        inside = whole_picture[receptive_box(where[image, unit])]  # (10, 10)
        assert inside.count_nonzero() == whole_picture.count_nonzero()
        drawings[unit].append(inside)

fig, axes = plt.subplots(2, 3, figsize=(10, 6.6), layout="constrained")
for (above, below), unit in zip(axes.T, units):
    above.imshow(mosaic(np.stack(patches[unit]), 3, 1), cmap="gray", vmin=0, vmax=1)
    limit = max(float(picture.abs().max()) for picture in drawings[unit])
    below.imshow(mosaic(np.stack(drawings[unit]), 3, 0), cmap="RdBu", vmin=-limit, vmax=limit)
    above.set(xticks=[], yticks=[], title=f"unit {unit}: its top nine patches")
    below.set(xticks=[], yticks=[], title="the same by the deconvnet", xlabel="red below zero, blue above")
fig.suptitle("Three units after the second convolution of our network")
plt.show()

# %% [markdown]
# Above, the nine patches of a unit resemble each other: a dark corner beside a light stripe, the lower
# end of something narrow, a light surface. Below, the signal arrives in blue where it is positive and in
# red where it is negative, always in the same arrangement. That the nine drawings of a unit are alike
# says little, because for the deconvnet only the switches depend on the image, as we shall see.
#
# ### How alike are the patches of a unit?
#
# Are two patches of the same unit more alike than patches of two units? We measure it by their
# correlation, among all active units and among the three that we have drawn.


# %%
def likeness(tiles):
    """Mean correlation of two different tiles of one unit, and of tiles of two units: (own, other).

    tiles: {unit: nine of (10, 10)}.
    """
    rows = torch.stack([tile for nine in tiles.values() for tile in nine]).flatten(1)  # (9 U, 100)
    unit_of = torch.arange(len(rows)) // 9
    same_unit = unit_of[:, None] == unit_of  # (9 U, 9 U)
    itself = torch.eye(len(rows), dtype=torch.bool)
    correlations = torch.corrcoef(rows)  # (9 U, 9 U)
    return correlations[same_unit & ~itself].mean().item(), correlations[~same_unit].mean().item()


patch_likeness = {
    "all active units": likeness(patches),
    "the three": likeness({unit: patches[unit] for unit in units}),
}
print(f"{'two patches of':20s}{'one unit':>12s}{'two units':>12s}   (correlation)")
for name, (own, other) in patch_likeness.items():
    print(f"{name:20s}{own:12.2f}{other:12.2f}")

# %% [markdown]
# Patches of one unit are clearly more alike (with three other training seeds, too), so a unit responds to
# a detail, wherever it occurs, on whatever garment.
#
# ### What the deconvnet does not look at
#
# The gradient and guided backpropagation use the ReLUs' inputs, and so depend on the image everywhere. The
# deconvnet uses the image only for the switches of the pools. What will it draw for two different images
# in a network without pools?

# %%
without_pools = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).requires_grad_(False)
for rule in RULES:
    drawn = []
    for image in test_images[:2, None, None]:  # (1, 1, 28, 28) each
        out, inputs = walk(without_pools, image)
        start_signal = torch.zeros_like(out)
        start_signal[0, :, 10:14, 10:14] = 1
        drawn.append(project(inputs, start_signal, rule))
    print(f"{rule:20s}the same picture for two images: {torch.equal(*drawn)}")
    assert torch.equal(*drawn) == (rule == "deconvnet")

# %% [markdown]
# Without pools the deconvnet draws exactly the same for a boot as for any other image, since nothing in it
# depends on the image. In a network with pools, what it shows comes from the switches and the weights.
#
# ### Which picture follows the edges?
#
# How closely do the pictures of the last column follow the photo's edges? As a number we take the
# correlation of a picture's absolute values with the step to the next pixel in the photo, over the whole
# photo, both averaged over $5 \times 5$ pixels.


# %%
def smooth(picture):
    """Averages of (1, H, W) over 5 × 5 pixels, flat."""
    return F.avg_pool2d(picture, 5, stride=1).flatten()


edge_likeness = {}
for name, photo in photos.items():
    edge_likeness[name] = {}
    x = photo[None].clone().requires_grad_()  # (1, 3, 224, 224)
    down, across = (photo.diff(dim=axis).abs().sum(dim=0) for axis in (1, 2))  # steps to the next pixel
    edges = F.pad(down, (0, 0, 0, 1)) + F.pad(across, (0, 1))  # (224, 224)
    for rule in RULES:
        with relu_rule(net, rule):
            view = torch.autograd.grad(net.features(x).max(), x)[0][0]  # (3, 224, 224)
        pair = torch.stack([smooth(view.abs().sum(dim=0)[None]), smooth(edges[None])])  # (2, n)
        edge_likeness[name][rule] = torch.corrcoef(pair)[0, 1].item()
print(f"{'edges of the':20s}" + "".join(f"{rule:>12s}" for rule in RULES))
for name in photos:
    print(f"{name:20s}" + "".join(f"{edge_likeness[name][rule]:12.2f}" for rule in RULES))

# %% [markdown]
# Guided backpropagation follows the edges more than the gradient does, on both photos.

# %%
assert len(active_units) > 12, "most units are active for some test image"
assert n_kinds.mean() > 2, "a unit's top images are of several classes"
own, other = patch_likeness["all active units"]
assert own > other + 0.2, "patches of one unit are more alike than of two"
for name in photos:
    assert edge_likeness[name]["guided"] > edge_likeness[name]["gradient"] + 0.1, "guided follows the edges"

# %% [markdown]
# ### The same, faster
#
# The passes do not depend on each other, so several covered copies can go through the network as a batch,
# stored with channels last (9.6). A small batch is enough: batches of 25 took longer than batches of 5
# when we measured, perhaps because they outgrow the processor's caches. The price is memory for the
# copies.


# %%
def occlusion_map(model, x, category, size=64, stride=16, batch_size=5):
    """Like `occlusion_loops`, with batch_size places in each pass: (rows, columns) probabilities.

    Raises ValueError if x is not (C, H, W), the square does not fit, or stride or batch_size is below one.
    """
    if x.ndim != 3 or size > min(x.shape[1:]):
        raise ValueError(f"no square of {size} pixels fits into an image of shape {tuple(x.shape)}")
    if min(stride, batch_size) < 1:
        raise ValueError(f"stride and batch_size must be at least 1, got {stride} and {batch_size}")
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:])
    corners = [(row * stride, column * stride) for row, column in np.ndindex(rows, columns)]
    probabilities = []
    for start in range(0, len(corners), batch_size):
        some = corners[start : start + batch_size]
        covered = x.repeat(len(some), 1, 1, 1)  # (C, H, W) -> (B, C, H, W)
        covered = covered.contiguous(memory_format=torch.channels_last)  # the same shape
        for image, (top_row, left_column) in zip(covered, some):
            image[:, top_row : top_row + size, left_column : left_column + size] = 0
        with torch.no_grad():
            probabilities.append(model(covered).softmax(dim=1)[:, category])  # (B,)
    return torch.cat(probabilities).reshape(rows, columns)  # (rows * columns,) -> (rows, columns)


seconds = {}
for name, function in (("one by one", occlusion_loops), ("batches of 5", occlusion_map)):
    rounds = []
    for _ in range(2):
        began = time.perf_counter()
        result = function(net, photos["coffee"], chosen["coffee"], stride=32)  # (6, 6)
        rounds.append(time.perf_counter() - began)
    seconds[name] = min(rounds)
    torch.testing.assert_close(result, occluded["coffee"][::2, ::2], rtol=1e-3, atol=1e-4)
    print(f"{name:20s}{seconds[name]:12.2f} s for 36 places")

# %% [markdown]
# The maps are equal but for rounding. (`captum.attr.Occlusion` does the same for a team. It gives for each
# pixel the average loss of score over the squares that cover it, and not the probability at each place.)
#
# ## What to remember
#
# - Filters of the first layer can be shown as pictures. Most of them weigh one side against another.
# - A hook reads any layer without changing the network, but only if no later layer works in place on what
#   it kept.
# - The images that excite a unit most tell what it responds to. It is rarely a class.
# - Gradient, deconvnet and guided backpropagation differ in one line, at the ReLU. The prettiest picture
#   is not for that reason the truest.
# - Occlusion needs no look inside. It costs one pass for each place, and a covered photo is a new photo.
#
# ## Try it
#
# Predict first, then change it and run the file from the top.
#
# 1. In _Going further_ take the three units that are active most often: `argsort(descending=True)[:3]`. How
#    alike will patches of two of them be, by the last row of the table there, and what do they show?
# 2. Draw the occlusion maps with `occlusion_loops(net, x, chosen[name], size=32)`. A smaller square hides
#    less: whose map fades, and where does it remain?
# 3. From a blank cell at the end: cover the photos with a square of black instead of grey, which is
#    `-mean / std` after the preprocessing. Compare the map of the rocket with the grey one at columns 3, 5
#    and 7.
#
# ## Sources
#
# - M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, sections 2 and
#   4: deconvnet, top patches, occlusion. Reproduced: "patches of one unit are more alike than of two".
# - K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2014, section 4: the
#   gradient and the deconvnet side by side. Reproduced: test_project_matches_autograd_with_the_rule.
# - J. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving for simplicity: the all
#   convolutional net", 2015, section 3.4: guided backpropagation, and the deconvnet without pools.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the data (MIT, Zalando SE).
# - F. Iandola et al., _SqueezeNet_, 2016: the network.
