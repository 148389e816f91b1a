# %% [markdown]
# # 9.2 Pooling: what remains when you step back
#
# Step back from a photo on a screen until you cannot see the pixels any more. The face is still there,
# since to know that there is a face you need not know where every dot was. *Pooling* does this to the
# maps of a network on purpose: it replaces each small window of a map by one number. The next layers
# then have a quarter of the numbers to work on, and each of their outputs sees a larger part of the
# image. Nearly every network that recognises things in photos has pools in it, and those that have none
# shrink their maps in another way.
#
# **You will build** max and average pooling with their gradients, a calculator for the sizes of maps,
# and a race of networks with pools, with strides and without convolution, at equal parameters and at
# equal work. **You need** convolution (9.1), backward passes (6.2), and choosing on validation data
# (7.7). **It takes** about half a minute.

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Cut a map of $4\times4$ into windows of $2\times2$. *Max pooling* keeps the largest number of each
# window, which answers "was the feature anywhere here?". *Average pooling* keeps the mean, which
# answers "how much of it was here?":
#
# $$\begin{aligned}
#   \begin{pmatrix} 1 & 3 & 0 & 0 \\ 0 & 0 & 0 & 4 \\ 5 & 5 & 2 & 2 \\ 1 & 1 & 2 & 2 \end{pmatrix}
#   \xrightarrow{\text{max}} \begin{pmatrix} 3 & 4 \\ 5 & 2 \end{pmatrix}, \qquad
#   \xrightarrow{\text{mean}} \begin{pmatrix} 1 & 1 \\ 3 & 2 \end{pmatrix}
# \end{aligned}$$
#
# Backward, let every output have the gradient $1$. A nudge to the $1$ in the top left window changes
# nothing, because $3$ is the maximum, so the $3$ gets the whole gradient. Of the two fives the first in
# reading order gets it, by convention. For the mean each of the four pixels gets a quarter.

# %%
small = np.array([[1.0, 3, 0, 0], [0, 0, 0, 4], [5, 5, 2, 2], [1, 1, 2, 2]])
blocks = small.reshape(2, 2, 2, 2)  # (4, 4) -> (row of windows, row in it, column of windows, column in it)
print(f"maxima\n{blocks.max(axis=(1, 3))}\nmeans\n{blocks.mean(axis=(1, 3))}")
assert blocks.max(axis=(1, 3)).tolist() == [[3, 4], [5, 2]]
assert blocks.mean(axis=(1, 3)).tolist() == [[1, 1], [3, 2]]

# %% [markdown]
# ## Windows, maxima, means
#
# In general a window has a kernel size, a stride and a padding (9.1), each one number or a pair for
# rows and columns. The stride is the kernel size if nothing else is said, so that windows touch and do
# not overlap. For a mean the padding consists of zeros, which count as pixels. For a maximum it must never
# win, so it is $-\infty$, and if all pixels of a window are $-\infty$ themselves, one of them wins and not
# the padding. We keep the place of each winner in its window, because the backward pass needs it.


# %%
def pair(setting):
    """A setting for rows and for columns: 2 means (2, 2)."""
    return setting if isinstance(setting, tuple) else (setting, setting)


def as_floats(array):
    """The array itself if it holds floats, else a float64 copy."""
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def pool_windows(x, kernel_size, stride=None, padding=0, fill=0.0):
    """The windows of x (N, C, H, W), each as one row: (N, C, H_out, W_out, kh * kw).

    Raises ValueError if the padding exceeds half the kernel size, no window fits, or a setting is too small.
    """
    kh, kw = pair(kernel_size)
    row_stride, column_stride = pair(kernel_size if stride is None else stride)
    rows, cols = pair(padding)
    if min(kh, kw, row_stride, column_stride) < 1 or min(rows, cols) < 0:
        raise ValueError(
            f"kernel {kernel_size} and stride {stride} must be at least 1, padding {padding} not negative"
        )
    if 2 * rows > kh or 2 * cols > kw:
        raise ValueError(f"padding {padding} is more than half of the kernel size {kernel_size}")
    padded = np.pad(as_floats(x), ((0, 0), (0, 0), (rows, rows), (cols, cols)), constant_values=fill)
    if padded.shape[2] < kh or padded.shape[3] < kw:
        raise ValueError(f"no window of {kh, kw} fits x of shape {x.shape} with padding {padding}")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    windows = windows[:, :, ::row_stride, ::column_stride]  # (N, C, H_out, W_out, kh, kw)
    return windows.reshape(*windows.shape[:4], kh * kw)  # a copy: (N, C, H_out, W_out, kh * kw)


def max_pool2d(x, kernel_size, stride=None, padding=0):
    """Maxima of the windows of x (N, C, H, W), and each winner's place in its window (0 to kh · kw - 1).

    Both (N, C, H_out, W_out). A window with a NaN in it gives NaN, and 0 for the place, because nothing
    equals NaN. Raises ValueError as `pool_windows`.
    """
    windows = pool_windows(x, kernel_size, stride, padding, fill=-np.inf)
    inside = pool_windows(np.ones((1, 1, *x.shape[2:])), kernel_size, stride, padding) > 0  # not padding
    maxima = windows.max(axis=4)
    wins = inside & (windows == maxima[..., None])  # (N, C, H_out, W_out, kh * kw)
    return maxima, wins.argmax(axis=4)  # the place of the first True


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """Means of the windows of x (N, C, H, W), zeros of the padding counted; raises as `pool_windows`."""
    return pool_windows(x, kernel_size, stride, padding).mean(axis=4)


pooled, winners = max_pool2d(small[None, None], 2)  # (4, 4) -> (1, 1, 4, 4)
print(f"places of the winners\n{winners[0, 0]}")
assert np.array_equal(pooled[0, 0], [[3, 4], [5, 2]])
assert winners[0, 0].tolist() == [[1, 3], [0, 0]]

# %% [markdown]
# ## Backward
#
# Each window $i$ has $k$ pixels. It receives the gradient $g_i = \partial L / \partial y_i$ of its
# output and passes it on to its pixels. The bracket is one if what stands in it is true, and zero if
# not:
#
# $$\frac{\partial L}{\partial x_p} = \sum_{\text{windows } i \ni p} g_i\, [\,p \text{ won } i\,]
#   \quad \text{(max)}, \qquad
#   \frac{\partial L}{\partial x_p} = \sum_{\text{windows } i \ni p} \frac{g_i}{k} \quad \text{(mean)} .$$
#
# Windows may overlap, so a pixel can get gradients from several of them, and they add up. As for the
# filter in lesson 9.1, the pixels that stand at one place of their windows, say top left, are all
# different and form one slice of the map.


# %%
def windows_backward(grad_windows, x_shape, kernel_size, stride=None, padding=0):
    """The gradient of x, of shape x_shape, from that of its `pool_windows` (N, C, H_out, W_out, kh * kw)."""
    n, c, height, width = x_shape
    h_out, w_out = grad_windows.shape[2:4]
    kh, kw = pair(kernel_size)
    row_stride, column_stride = pair(kernel_size if stride is None else stride)
    rows, cols = pair(padding)
    grad_padded = np.zeros((n, c, height + 2 * rows, width + 2 * cols), grad_windows.dtype)
    for place in range(kh * kw):
        u, v = divmod(place, kw)  # row and column of this place in the window
        below = slice(u, u + row_stride * h_out, row_stride)
        beside = slice(v, v + column_stride * w_out, column_stride)
        grad_padded[:, :, below, beside] += grad_windows[..., place]
    return grad_padded[:, :, rows : rows + height, cols : cols + width]


def max_pool2d_backward(grad_out, winners, x_shape, kernel_size, stride=None, padding=0):
    """Gradient of x (shape x_shape) from that of the maxima, grad_out, and their `winners`."""
    kh, kw = pair(kernel_size)
    grad_windows = np.zeros((*grad_out.shape, kh * kw), as_floats(grad_out).dtype)
    np.put_along_axis(grad_windows, winners[..., None], grad_out[..., None], axis=4)
    return windows_backward(grad_windows, x_shape, kernel_size, stride, padding)


def avg_pool2d_backward(grad_out, x_shape, kernel_size, stride=None, padding=0):
    """Gradient of x (shape x_shape) from that of the means, grad_out."""
    kh, kw = pair(kernel_size)
    share = as_floats(grad_out)[..., None] / (kh * kw)
    grad_windows = np.broadcast_to(share, (*grad_out.shape, kh * kw))
    return windows_backward(grad_windows, x_shape, kernel_size, stride, padding)


grad_small = max_pool2d_backward(np.ones((1, 1, 2, 2)), winners, (1, 1, 4, 4), 2)
print(grad_small[0, 0])
assert grad_small[0, 0].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]

# %% [markdown]
# ## The same in PyTorch
#
# Maps after a ReLU are full of zeros, and equal numbers tie. Do values and gradients agree with PyTorch
# on such maps, for windows that touch, overlap, leave gaps, and reach over the edge?

# %%
x = np.maximum(rng.normal(size=(2, 3, 8, 10)), 0)
tied_share = np.mean(np.all(pool_windows(x, 2) == 0, axis=4))
print(f"windows of four zeros: {tied_share:.0%}")

largest = 0.0
for settings in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), ((2, 3), (1, 2), (0, 1))):
    for kind in ("max", "mean"):
        tensor = torch.tensor(x, requires_grad=True)
        torch_out = F.max_pool2d(tensor, *settings) if kind == "max" else F.avg_pool2d(tensor, *settings)
        grad_out = rng.normal(size=tuple(torch_out.shape))
        torch_out.backward(torch.from_numpy(grad_out))
        if kind == "max":
            out, places = max_pool2d(x, *settings)
            grad_x = max_pool2d_backward(grad_out, places, x.shape, *settings)
        else:
            out = avg_pool2d(x, *settings)
            grad_x = avg_pool2d_backward(grad_out, x.shape, *settings)
        largest = max(largest, np.abs(out - torch_out.detach().numpy()).max())
        largest = max(largest, np.abs(grad_x - tensor.grad.numpy()).max())
print(f"values and gradients differ by at most {largest:.1e}")
assert largest < 1e-12, "both pools and their gradients are PyTorch's"

# %% [markdown]
# *Global average pooling* takes one window as large as the map, in NumPy `maps.mean(axis=(2, 3))`, in
# PyTorch `nn.AdaptiveAvgPool2d(1)`. One number for each channel remains, whatever the size of the
# image, so a linear layer behind it fits images of every size. ResNet ends in this way (9.3).

# %%
for size in ((7, 7), (13, 5)):
    maps = rng.normal(size=(2, 3, *size))
    torch_means = F.adaptive_avg_pool2d(torch.from_numpy(maps), 1)[:, :, 0, 0]  # (2, 3, 1, 1) -> (2, 3)
    print(f"{maps.shape} pools to {maps.mean(axis=(2, 3)).shape}")
    np.testing.assert_allclose(maps.mean(axis=(2, 3)), torch_means, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## How sizes flow
#
# Most errors in building convolutional networks are about sizes. The formula of lesson 9.1 serves pools
# too, with input size $n$, kernel size $k$, padding $p$, dilation $d$ and stride $s$:
#
# $$\text{out} = \left\lfloor \frac{n + 2p - d(k-1) - 1}{s} \right\rfloor + 1 .$$
#
# A pool in PyTorch can also round up (`ceil_mode=True`), so that the last pixels get a window of their
# own that reaches over the edge, unless it would begin beyond the map and its left padding.


# %%
def out_size(size, kernel_size, stride, padding=0, dilation=1, ceil_mode=False):
    """Length of a map after a convolution or a pool; raises ValueError if no window fits or stride < 1."""
    if stride < 1:
        raise ValueError(f"the stride must be at least 1, not {stride}")
    room = size + 2 * padding - dilation * (kernel_size - 1) - 1
    if room < 0 and not (ceil_mode and room > -stride):
        raise ValueError(f"no window of {kernel_size} (dilation {dilation}) fits {size} + 2 * {padding}")
    if not ceil_mode:
        return room // stride + 1
    out = -(-room // stride) + 1  # -(-a // b) rounds up
    if (out - 1) * stride >= size + padding:  # the last window would begin beyond the map
        out -= 1
    return out


def shape_after(layer, shape):
    """Shape (C, H, W) after a convolution or pool of an input (C, H, W); other layers keep it."""
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        return shape
    sizes = []
    for axis in (0, 1):
        settings = [
            pair(value)[axis] for value in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        ]
        sizes.append(out_size(shape[1 + axis], *settings, getattr(layer, "ceil_mode", False)))
    n_channels = getattr(layer, "out_channels", shape[0])  # a pool has no such setting and keeps the channels
    return (n_channels, *sizes)


# %% [markdown]
# We try it on AlexNet, a real network that the next lesson looks at. The calculator only reads the
# layers' settings. Then an empty image goes through the network layer by layer, on the `meta` device
# (4.5), where tensors have a shape and no numbers.

# %%
with torch.device("meta"):
    features = torchvision.models.alexnet().features
    maps = torch.empty(1, 3, 224, 224)
shape = (3, 224, 224)
predicted = []
reported = []
print(f"{'layer':20s}{'channels':>12s}{'size':>12s}{'numbers':>12s}{'parameters':>12s}")
for layer in features:
    shape = shape_after(layer, shape)
    predicted.append(shape)
    maps = layer(maps)
    reported.append(tuple(maps.shape[1:]))
    n_parameters = sum(p.numel() for p in layer.parameters())
    if not isinstance(layer, nn.ReLU):
        size = f"{shape[1]}×{shape[2]}"
        print(f"{type(layer).__name__:20s}{shape[0]:12d}{size:>12s}{np.prod(shape):12,}{n_parameters:12,}")
assert predicted == reported, "the calculator knows the shape after every layer"

# %% [markdown]
# From pool to pool the sides shrink and the channels grow. Write such a table before you write a
# network, and its first linear layer will fit.
#
# ## What is lost, and what is gained
#
# A pool forgets where in its window the largest number stood. This is a loss if the place matters, and
# a gain if it does not: a boot one pixel further to the right is the same boot. How much does a map
# change if the image moves by one pixel? We take maps of edges of a thousand images, moved and not
# moved, and measure the change relative to the map's own size. One should expect less change for larger
# windows.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)


def shift(images, columns):
    """Images (N, H, W) moved right by `columns`, zeros where nothing came from."""
    return F.pad(images, (columns, 0))[:, :, : images.shape[2]]


def edge_maps(images):
    """Four maps of edges, (N, 4, H, W), from images (N, H, W): brighter to the right, left, down, up."""
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    filters = torch.stack([sobel, -sobel, sobel.T, -sobel.T])[:, None]  # (4, 3, 3) -> (4, 1, 3, 3)
    return F.conv2d(images[:, None], filters, padding=1).relu()


pools = {
    "no pool": nn.Identity(),
    "max, 2×2": nn.MaxPool2d(2),
    "max, 4×4": nn.MaxPool2d(4),
    "average, 4×4": nn.AvgPool2d(4),
    "global average": nn.AdaptiveAvgPool2d(1),
}
still = edge_maps(test_images)  # (1000, 4, 28, 28)
moved = edge_maps(shift(test_images, 1))
changes = {}
for name, pool in pools.items():
    changes[name] = ((pool(moved) - pool(still)).norm() / pool(still).norm()).item()
    print(f"{name:20s}{changes[name]:12.3f}")

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
axes[0].imshow(test_images[0].numpy(), cmap="gray")
axes[0].set(title="the image", xlabel="column", ylabel="row")
for ax, name in zip(axes[1:], ("no pool", "max, 2×2", "max, 4×4")):
    ax.imshow(pools[name](still[:1])[0, 2].numpy(), cmap="viridis")
    ax.set(title=f"brighter downwards, {name}", xlabel="column", ylabel="row")
plt.show()

# %% [markdown]
# The larger the window, the less the map changes, and a global average hardly notices a shift by one
# pixel. The figure shows the price: with windows of $4\times4$ one still sees that the boot has an edge
# along its upper side and one at the sole, but no longer exactly where.
#
# ## A race, at equal parameters and at equal work
#
# Does the tolerance of the pooled maps carry over to a trained network? Five networks are trained on
# the same images and then tested on images that are moved to the right, which none of them saw in
# training. A comparison needs something that is equal, and there are two candidates: the number of
# parameters, and the work for one image, counted in *multiply-adds*. One multiply-add is a weight times
# an input, added to a sum.
#
# - _pooled CNN_: two convolutions, each with a max pool behind it;
# - _strided CNN_: the same convolutions with a stride of two and no pools, so the parameters are equal,
#   but it computes only a quarter of the pooled CNN's places;
# - _wide strided CNN_: twice the channels, for about the same work as the pooled CNN;
# - _narrow MLP_ and _wide MLP_: one hidden layer, with about the same parameters, or the same work.


# %%
def cnn(channels, pool):
    """(B, 1, 28, 28) to scores (B, 10): two convolutions that halve the sides, by max pools or strides."""
    stride = 1 if pool else 2
    shrink = nn.MaxPool2d(2) if pool else nn.Identity()
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, stride=stride, padding=1),
        nn.ReLU(),
        shrink,
        nn.Conv2d(channels, 2 * channels, 3, stride=stride, padding=1),
        nn.ReLU(),
        shrink,
        nn.Flatten(),  # (B, 2 * channels, 7, 7) -> (B, 2 * channels * 49)
        nn.Linear(2 * channels * 49, 10),
    )


def mlp(n_hidden):
    """(B, 1, 28, 28) to scores (B, 10): one hidden layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, n_hidden), nn.ReLU(), nn.Linear(n_hidden, 10))


networks = {
    "pooled CNN": lambda: cnn(8, pool=True),
    "strided CNN": lambda: cnn(8, pool=False),
    "wide strided CNN": lambda: cnn(16, pool=False),
    "narrow MLP": lambda: mlp(11),
    "wide MLP": lambda: mlp(365),
}
n_parameters = {}
multiply_adds = {}
print(f"{'':20s}{'parameters':>12s}{'mult-adds':>12s}")
for name, build in networks.items():
    maps = torch.zeros(1, 1, 28, 28)
    n_parameters[name] = 0
    multiply_adds[name] = 0
    for layer in build():
        maps = layer(maps)
        n_parameters[name] += sum(p.numel() for p in layer.parameters())
        if isinstance(layer, nn.Conv2d | nn.Linear):
            multiply_adds[name] += maps.numel() * layer.weight[0].numel()  # each output meets one filter
    print(f"{name:20s}{n_parameters[name]:12,}{multiply_adds[name]:12,}")
for name in ("strided CNN", "narrow MLP"):
    assert 0.9 < n_parameters[name] / n_parameters["pooled CNN"] < 1.1, "about equal parameters"
for name in ("wide strided CNN", "wide MLP"):
    assert 0.9 < multiply_adds[name] / multiply_adds["pooled CNN"] < 1.1, "about equal work"

# %% [markdown]
# A stride of two could also be had by computing every place and then throwing away three of four, with
# the same result. So equal work alone does not make the strided CNN equal to the pooled one.
#
# Training follows lesson 4.4. Pixels are standardised (3.1), and since a shift brings in black
# background, images are moved first and standardised after. The learning rate falls in a straight line
# to zero (7.3). Each network gets its own best rate out of three, chosen on a thousand validation images
# (7.7).


# %%
n_train = 4000
pixel_mean = train_images[:n_train].mean()
pixel_std = train_images[:n_train].std()


def standardised(images):
    """Images (N, 28, 28) as inputs (N, 1, 28, 28), in units of the training pixels' spread."""
    return ((images - pixel_mean) / pixel_std)[:, None]


def train(model, inputs, labels, seed, learning_rate, n_epochs=3, batch_size=50):
    """Train in place with Adam, the order drawn by `seed`; returns the last epoch's mean loss (nats)."""
    if n_epochs < 1:
        raise ValueError(f"n_epochs must be at least 1, got {n_epochs}")
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(inputs, labels), batch_size, shuffle=True, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    n_steps = n_epochs * len(loader)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / n_steps)
    model.train()
    for _ in range(n_epochs):
        epoch_losses = []
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            epoch_losses.append(loss.item())
    return np.mean(epoch_losses)


def accuracy(model, images, labels):
    """Share of images (N, 28, 28) that the model names right."""
    model.eval()
    with torch.no_grad():
        return (model(standardised(images)).argmax(dim=1) == labels).float().mean().item()


# %%
inputs = standardised(train_images[:n_train])
labels = train_labels[:n_train]
valid_images = train_images[n_train:]
valid_labels = train_labels[n_train:]
rates = (2e-3, 8e-3, 3.2e-2)
best_rate = {}
tried = {}
trained = {}  # for each network the models of all seeds
print(f"{'validation accuracy':20s}" + "".join(f"{rate:12.3g}" for rate in rates))
for name, build in networks.items():
    tried[name] = []
    models = []
    for rate in rates:
        torch.manual_seed(0)
        model = build()
        train(model, inputs, labels, seed=0, learning_rate=rate)
        tried[name].append(accuracy(model, valid_images, valid_labels))
        models.append(model)
    best = int(np.argmax(tried[name]))
    best_rate[name] = rates[best]
    trained[name] = [models[best]]
    print(f"{name:20s}" + "".join(f"{value:12.3f}" for value in tried[name]))

# %% [markdown]
# No network is at its best at the end of the scale. With its own rate each network is trained from two
# more starts. Then comes the test. What should one expect? At no shift the pixels stand where they
# stood in training. With every pixel of shift the MLPs lose the places that they have learned, while
# the pooled maps change less than the others.

# %%
seeds = (0, 1, 2)
shifts = range(6)
accuracies = {}  # for each network (seeds, shifts)
for name, build in networks.items():
    for seed in seeds[1:]:
        torch.manual_seed(seed)
        model = build()
        train(model, inputs, labels, seed, best_rate[name])
        trained[name].append(model)
    rows = [[accuracy(model, shift(test_images, k), test_labels) for k in shifts] for model in trained[name]]
    accuracies[name] = np.array(rows)

print(f"{'moved by (pixels)':20s}" + "".join(f"{k:10d}" for k in shifts))
for name, rows in accuracies.items():
    print(f"{name:20s}" + "".join(f"{value:10.3f}" for value in rows.mean(axis=0)))

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, rows), marker, style in zip(accuracies.items(), "o^vsD", ("-", "--", ":", "-.", (0, (1, 3)))):
    (line,) = ax.plot(shifts, rows.mean(axis=0), linestyle=style, marker=marker, label=name)
    ax.fill_between(shifts, rows.min(axis=0), rows.max(axis=0), color=line.get_color(), alpha=0.2)
ax.set(xlabel="shift of the test images (pixels)", ylabel="test accuracy", ylim=(0, 1))
ax.set_title("Test accuracy on shifted images, five networks")
ax.legend(title="mean and range of 3 seeds")
plt.show()

# %% [markdown]
# Look at the left end first. On images that are not moved the pooled CNN and the wide strided CNN, which
# do the same work, are within about a point of each other, so pooling itself gains little there. Both
# MLPs are behind: the narrow one, with as many parameters as the pooled CNN, by several points, and the
# wide one, with the same work and thirty times the parameters, by about one, which is no more than the
# standard error of an accuracy on a thousand images (3.4). A likely reason for the lead at equal
# parameters is that a convolution finds an edge everywhere with nine shared weights, while an MLP must
# learn it for each place.
#
# Then look at a shift of two pixels. The pooled CNN keeps most of its accuracy, and all others, with
# equal parameters or equal work, fall well below it. But pooling is no cure: two pools after each other
# cover windows of four pixels, and at a shift of five no network keeps even half of its accuracy. All
# this was the same with three other seeds.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert tied_share > 0.03, "after a ReLU whole windows tie"
assert changes["max, 2×2"] < changes["no pool"], "a max pool makes maps change less when the image moves"
assert changes["max, 4×4"] < changes["max, 2×2"], "a larger window makes them change less still"
assert changes["global average"] < 0.1, "a global average hardly notices a shift by one pixel"
for name, values in tried.items():
    assert 0 < np.argmax(values) < len(rates) - 1, f"the best rate is inside the grid: {name}"
pooled_rows = accuracies["pooled CNN"]  # (seeds, shifts)
kept = pooled_rows[:, 2].mean() / pooled_rows[:, 0].mean()
assert kept > 0.75, "moved by two pixels the pooled CNN keeps most of its accuracy"
for name, rows in accuracies.items():
    if name != "pooled CNN":
        assert min(pooled_rows[:, 2] - rows[:, 2]) > 0, f"moved by two pixels the pooled CNN leads: {name}"
        assert np.mean(pooled_rows[:, 2] - rows[:, 2]) > 0.05, f"and by more than five points: {name}"
lead = {name: pooled_rows[:, 0] - rows[:, 0] for name, rows in accuracies.items()}  # on images not moved
assert min(lead["narrow MLP"]) > 0, "at equal parameters the pooled CNN leads the MLP with every seed"
assert 0 < lead["wide MLP"].mean() < lead["narrow MLP"].mean(), "at equal work it leads by less"
assert abs(lead["wide strided CNN"].mean()) < 0.02, "at equal work strides do as well on images not moved"
for name, rows in accuracies.items():
    assert rows[:, 5].mean() < rows[:, 0].mean() / 2, f"five pixels are too many for every network: {name}"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It shows why the pool of a library is so much faster than windows.
#
# ### The same, faster
#
# Nearly all networks pool windows of $2\times2$ with a stride of two. Then no window needs to be
# copied, because the four corners of all windows are four slices of the map, and the maximum of four
# slices is three calls of `np.maximum`. Backward goes through the corners in reading order, gives the
# gradient to those that equal the maximum, and notes which windows are still free, so that a tie goes
# to the first. The price is that it serves this one case only.


# %%
def max_pool_2x2(x):
    """The maxima of `max_pool2d(x, 2)`, NaN for NaN; x: (N, C, H, W). Raises ValueError for an odd H or W."""
    if x.shape[2] % 2 or x.shape[3] % 2:
        raise ValueError(f"height and width must be even, got shape {x.shape}")
    x = as_floats(x)
    top = np.maximum(x[:, :, ::2, ::2], x[:, :, ::2, 1::2])
    bottom = np.maximum(x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2])
    return np.maximum(top, bottom)


def max_pool_2x2_backward(grad_out, x, out):
    """Gradient of x from that of out = max_pool_2x2(x); the first of equal corners gets it, for NaN none."""
    grad_x = np.empty(x.shape, as_floats(grad_out).dtype)
    free = np.ones(out.shape, dtype=bool)  # windows whose winner has not come yet
    for i in range(2):
        for j in range(2):
            wins = x[:, :, i::2, j::2] == out
            wins &= free  # an equal corner that came before has taken the window already
            free ^= wins  # windows won just now are no longer free: true ^ true is false
            np.multiply(grad_out, wins, out=grad_x[:, :, i::2, j::2])
    return grad_x


def milliseconds(f, n_rounds=5):
    """Shortest time of a call of f, which keeps out whatever else the machine is doing."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


# %%
large_maps = np.maximum(rng.normal(size=(32, 32, 28, 28)), 0).astype(np.float32)
large_grad = rng.normal(size=(32, 32, 14, 14)).astype(np.float32)
large_tensor = torch.from_numpy(large_maps).requires_grad_()


def plain_pool():
    out, winners = max_pool2d(large_maps, 2)
    return out, max_pool2d_backward(large_grad, winners, large_maps.shape, 2)


def fast_pool():
    out = max_pool_2x2(large_maps)
    return out, max_pool_2x2_backward(large_grad, large_maps, out)


def torch_pool():
    out = F.max_pool2d(large_tensor, 2)
    return out.detach(), torch.autograd.grad(out, large_tensor, torch.from_numpy(large_grad))[0]


for plain, fast, theirs in zip(plain_pool(), fast_pool(), torch_pool(), strict=True):
    assert np.array_equal(fast, plain), "the fast pool equals the plain one"
    assert np.array_equal(fast, theirs.numpy()), "the fast pool equals PyTorch's"
print("forward and backward (ms)")
for name, f in (("plain", plain_pool), ("fast", fast_pool), ("PyTorch", torch_pool)):
    print(f"{name:20s}{milliseconds(f):12.1f}")

# %% [markdown]
# The fast form saves most of the time, because it reads the map a few times and copies nothing. It comes
# near PyTorch's, and on some machines it is faster.
#
# ## What to remember
#
# - Max pooling asks "anywhere here?", average pooling "how much here?". Global average pooling makes
#   maps of any size into one number for each channel.
# - Backward, the winner of a window gets the whole gradient, the first of equals; a mean shares it out.
# - One formula gives the sizes after convolutions and pools. Write the table before the network.
# - Pooling trades place for tolerance, as far as its windows reach.
# - A comparison of networks says what was equal: parameters, work, or neither.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `cnn` put `nn.AvgPool2d(2)` in place of `nn.MaxPool2d(2)`. How much of the pooled CNN's lead at
#    two pixels remains? Look at the last table of the race.
# 2. Let `shift` move the images down instead of to the right (pad `(0, 0, columns, 0)` and cut rows).
#    Will the curves fall faster or more slowly? Think of how clothes lie in these images.
# 3. From a blank cell at the end: write `global_avg_pool_backward(grad_out, x_shape)` for grad_out (N,
#    C), and compare it with autograd through `F.adaptive_avg_pool2d(x, 1)`.
#
# ## Sources
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
#   recognition", 1998: convolutions and pools in turn.
# - D. Scherer, A. Müller, S. Behnke, "Evaluation of pooling operations in convolutional architectures",
#   2010: max against average.
# - M. Lin, Q. Chen, S. Yan, "Network in network", ICLR 2014, section 3.2: global average pooling.
# - J. T. Springenberg et al., "Striving for simplicity: the all convolutional net", 2015: strides in
#   place of pools.
# - R. Zhang, "Making convolutional networks shift-invariant again", ICML 2019: how far the tolerance
#   goes. Reproduced: "five pixels are too many for every network".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the data (MIT, Zalando SE).
