# %% [markdown]
# # 9.1 Convolution: one small filter, everywhere
#
# Lay a stencil with nine holes on a photo, and write down how well what shows through fits what you are
# looking for. Move it by one pixel, and write down again. The numbers form a new picture: a map of where
# the thing is. That is a *convolution*, and a network that sees is built of little else.
#
# **You will build** it from one loop over pixels to what `nn.Conv2d` computes: with stride, padding,
# dilation, channels, groups and batches. **You need** tensor operations (2.2) and linear layers (5.6).

# %%
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Five pixels in a row, dark then bright: $0, 0, 0, 9, 9$. The *filter* (or *kernel*) is $(-1, 1)$: right
# neighbour minus left. In each of its four places we multiply what lies on top of each other, and add up.
# The answer is $0, 0, 9, 0$: silent where nothing changes, loud at the edge.


# %%
def filter_image(image, kernel):
    """Slide kernel (kh, kw) over image (H, W): a map (H - kh + 1, W - kw + 1) of products summed up."""
    (height, width), (kh, kw) = image.shape, kernel.shape
    out = np.zeros((height - kh + 1, width - kw + 1))
    for i, j in np.ndindex(out.shape):
        out[i, j] = (image[i : i + kh, j : j + kw] * kernel).sum()
    return out


row = np.array([[0.0, 0, 0, 9, 9]])  # (1, 5)
edges = filter_image(row, np.array([[-1.0, 1]]))
print(edges)
assert edges.tolist() == [[0, 0, 9, 0]]

# %% [markdown]
# ## Five filters, five questions
#
# Nine numbers can ask many things. Equal weights take a local mean: a blur. One column minus another, as
# in *Sobel's* filter, asks "does it get brighter to the right?", and is silent on flat areas, since its
# weights sum to zero. More weight in the middle than around it sharpens; a slope along the diagonal looks
# like light falling on relief (*emboss*).

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg")[::2, ::2] / 255  # (H, W, 3): every other pixel
gray = photo.mean(axis=2)  # (H, W)
sobel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
kernels = {
    "blur": np.full((3, 3), 1 / 9),
    "brighter to the right": sobel,
    "brighter downwards": sobel.T,
    "sharpen": np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "emboss": np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}
maps = {name: filter_image(gray, kernel) for name, kernel in kernels.items()}
flat = filter_image(np.full((8, 8), 0.7), sobel)
print(f"Sobel's filter on a flat grey area: at most {np.abs(flat).max():.1e}")
assert np.abs(flat).max() < 1e-12 < 1 < maps["brighter to the right"].max()

# %%
fig, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
axes[0, 0].imshow(gray, cmap="gray", vmin=0, vmax=1)
axes[0, 0].set(title="the photo", xticks=[], yticks=[])
for ax, (name, result) in zip(axes.flat[1:], maps.items()):
    signed = name.startswith("brighter")
    ax.imshow(result, cmap="RdBu" if signed else "gray", vmin=-2 if signed else 0, vmax=2 if signed else 1)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("Each filter answers its question at every pixel (blue: yes, red: the opposite)")
plt.show()

# %% [markdown]
# ## A word that means two things
#
# Mathematics flips the kernel before it slides. Only that is *convolution*; without the flip it is
# *cross-correlation*:
#
# $$(x \star k)_i = \sum_u x_{i+u}\, k_u, \qquad (x * k)_i = \sum_u x_{i-u}\, k_u .$$
#
# The flip makes order irrelevant, $a * b = b * a$, as in multiplying polynomials. Networks learn their
# kernels, and could learn a flipped one as well, so libraries leave the flip out and keep the name.

# %%
a, b = np.array([1.0, 2, 3]), np.array([4.0, 5])
product = np.convolve(a, b)  # (1 + 2t + 3t²)(4 + 5t)
print(f"coefficients of the product: {product}")
assert product.tolist() == np.convolve(b, a).tolist() == [4, 13, 22, 15]

x, kernel = rng.normal(size=20), rng.normal(size=4)
flipped = filter_image(x[None], kernel[None, ::-1])[0]  # (20,) -> (1, 20) and (4,) -> (1, 4)
np.testing.assert_allclose(flipped, np.convolve(x, kernel, mode="valid"), rtol=1e-10, atol=1e-12)
assert np.abs(filter_image(x[None], kernel[None])[0] - flipped).max() > 0.1  # (1, 20) with (1, 4), unflipped

# %% [markdown]
# Where the kernel has a direction, the flip is visible: the light comes from the other side, and what
# stood out is now sunk in.

# %%
turned = filter_image(gray, kernels["emboss"][::-1, ::-1])
agreement = np.corrcoef(
    maps["emboss"].ravel() - gray[1:-1, 1:-1].ravel(), (turned - gray[1:-1, 1:-1]).ravel()
)
print(f"correlation of the two reliefs: {agreement[0, 1]:.2f}")
assert agreement[0, 1] < -0.99

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, result, title in (
    (left, maps["emboss"], "cross-correlation"),
    (right, turned, "convolution: flipped"),
):
    ax.imshow(result, cmap="gray", vmin=0, vmax=1)
    ax.set(title=title, xticks=[], yticks=[])
fig.suptitle("Flip the kernel, and the light comes from the other side")
plt.show()

# %% [markdown]
# ## Stride, padding, dilation
#
# Three settings change where the filter looks. *Padding* $p$ lays zeros around the image, so that corners
# get their turn. *Stride* $s$ moves the filter by more than one pixel: a smaller map. *Dilation* $d$
# spreads the filter's own weights, so that $k$ of them span $d(k-1)+1$ pixels. How many places remain?
#
# $$\text{out} = \left\lfloor \frac{\text{in} + 2p - d(k-1) - 1}{s} \right\rfloor + 1 .$$


# %%
def output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """Places a filter has along one axis; raises ValueError where it does not fit even once."""
    span = dilation * (kernel_size - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(f"a filter that spans {span} does not fit into {size} + 2 * {padding} pixels")
    return (size + 2 * padding - span) // stride + 1


def slide(image, kernel, stride=1, padding=0, dilation=1):
    """`filter_image` with the three settings; image: (H, W), kernel: (kh, kw)."""
    (kh, kw), settings = kernel.shape, (stride, padding, dilation)
    out = np.zeros((output_size(image.shape[0], kh, *settings), output_size(image.shape[1], kw, *settings)))
    image = np.pad(image, padding)
    for i, j in np.ndindex(out.shape):
        rows = slice(i * stride, i * stride + dilation * kh, dilation)
        columns = slice(j * stride, j * stride + dilation * kw, dilation)
        out[i, j] = (image[rows, columns] * kernel).sum()
    return out


small = rng.normal(size=(7, 6))
np.testing.assert_allclose(slide(small, sobel), filter_image(small, sobel), rtol=1e-10, atol=1e-12)
same, half = slide(small, sobel, padding=1), slide(small, sobel, padding=1, stride=2)
print(f"7×6 pixels: padding 1 keeps {same.shape}, with stride 2 it is {half.shape}")
assert same.shape == small.shape and half.shape == (4, 3)
np.testing.assert_array_equal(half, same[::2, ::2])  # a stride keeps every other place

# %% [markdown]
# Dilation is the same as a larger kernel with zeros in its holes. That gives a check for free.

# %%
holes = np.zeros((5, 5))
holes[::2, ::2] = sobel
wide = slide(small, sobel, dilation=2)
np.testing.assert_allclose(wide, filter_image(small, holes), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Channels, groups, a batch
#
# A colour photo has three *channels*. A filter then has a slice for each, and the answers add up: one
# filter, one map. Many filters give many maps, which are the channels of the next layer. With *groups*,
# the channels are dealt out and each group sees only its own; a group for each channel is called
# *depthwise*.
#
# $$y_{n,o,i,j} = b_o + \sum_{c, u, v} w_{o,c,u,v}\; x_{n,\,c,\,si + du,\,sj + dv} .$$


# %%
def check_channels(x, weight, groups):
    """Raise ValueError where x (N, C, H, W) and weight (C_out, C / groups, kh, kw) do not fit."""
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise ValueError(f"x has shape {x.shape} but the weight {weight.shape}, with groups={groups}")


def conv2d_loops(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """What F.conv2d computes, one filter, image and channel at a time: (N, C_out, H_out, W_out)."""
    check_channels(x, weight, groups)
    c_out, per_group = weight.shape[:2]
    maps = []
    for image, o in itertools.product(x, range(c_out)):
        first = o // (c_out // groups) * per_group  # the first channel that filter o sees
        channels = zip(image[first : first + per_group], weight[o], strict=True)
        maps.append(sum(slide(channel, kernel, stride, padding, dilation) for channel, kernel in channels))
        maps[-1] += 0 if bias is None else bias[o]
    return np.array(maps).reshape(len(x), c_out, *maps[0].shape)  # (N * C_out, ...) -> (N, C_out, ...)


# %% [markdown]
# With that, filters can ask about colour. A filter of one pixel (*pointwise*) looks at no neighbours at
# all and mixes channels: red minus the mean of the others finds the warm parts. A depthwise blur blurs
# each colour for itself.

# %%
image = photo.transpose(2, 0, 1)[None]  # (H, W, 3) -> (1, 3, H, W)
red = np.array([1, -0.5, -0.5]).reshape(1, 3, 1, 1)
warm = conv2d_loops(image, red)[0, 0]
depthwise = np.full((3, 1, 9, 9), 1 / 81)
blurred = conv2d_loops(image, depthwise, padding=4, groups=3)[0].transpose(1, 2, 0)  # (3, H, W) -> (H, W, 3)
np.testing.assert_allclose(warm, photo @ red.ravel(), rtol=1e-10, atol=1e-12)  # (H, W, 3) @ (3,) -> (H, W)

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
axes[0].imshow(photo)
shown = axes[1].imshow(warm, cmap="RdBu_r", vmin=-0.8, vmax=0.8)
fig.colorbar(shown, ax=axes[1], label="red minus the others")
axes[2].imshow(blurred.clip(0, 1))
for ax, title in zip(axes, ("the photo", "a one-pixel filter mixes channels", "depthwise keeps them apart")):
    ax.set(title=title, xticks=[], yticks=[])
fig.suptitle("A filter has a slice for every channel it sees")
plt.show()

# %% [markdown]
# ## The same, faster
#
# The loops repeat one pattern: cut a window, multiply, add. `sliding_window_view` offers all windows at
# once, without a copy, as an array with two more axes. Stride skips windows, dilation skips pixels inside
# them. Then one `tensordot` sums over channel, row and column of the filter: a single matrix product per
# group.


# %%
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlate x (N, C, H, W) with weight (C_out, C / groups, kh, kw), add bias (C_out,).

    Returns (N, C_out, H_out, W_out), as F.conv2d does. Raises ValueError where the channels do not match
    or a filter does not fit into the padded image.
    """
    check_channels(x, weight, groups)
    (kh, kw), settings = weight.shape[2:], (stride, padding, dilation)
    height, width = output_size(x.shape[2], kh, *settings), output_size(x.shape[3], kw, *settings)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    spans = dilation * (kh - 1) + 1, dilation * (kw - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(2, 3))  # (N, C, ..., ..., span, span)
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]  # (N, C, H_out, W_out, kh, kw)
    parts = [
        np.tensordot(part, filters, axes=((1, 4, 5), (1, 2, 3)))  # -> (N, H_out, W_out, C_out / groups)
        for part, filters in zip(np.split(windows, groups, axis=1), np.split(weight, groups))
    ]
    out = np.concatenate(parts, axis=3)  # (N, H_out, W_out, C_out)
    assert out.shape[1:3] == (height, width)
    out = out if bias is None else out + bias
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))  # (N, C_out, H_out, W_out)


# %% [markdown]
# Both must agree on every combination of settings, and with PyTorch.

# %%
x, bias = rng.normal(size=(2, 4, 9, 8)), rng.normal(size=6)
combinations = list(itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2)))
largest = 0.0
for settings in combinations:
    weight = rng.normal(size=(6, 4 // settings[-1], 3, 2))
    ours = conv2d(x, weight, bias, *settings)
    np.testing.assert_allclose(ours, conv2d_loops(x, weight, bias, *settings), rtol=1e-10, atol=1e-12)
    theirs = F.conv2d(*map(torch.from_numpy, (x, weight, bias)), *settings).numpy()
    assert ours.shape == theirs.shape
    largest = max(largest, np.abs(ours - theirs).max())
print(f"{len(combinations)} combinations, largest difference from F.conv2d: {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## A linear layer in disguise
#
# A convolution multiplies and adds, so some matrix must do the same. To find the matrix of any linear map,
# feed it the unit images, one pixel lit at a time: each answer is a column. The result is mostly zeros,
# and its rows repeat the same nine numbers, shifted. Such a matrix is called *Toeplitz*, here made of
# Toeplitz blocks.


# %%
def matrix_of(linear_map, height, width):
    """The matrix (n_out, height * width) of a map from (N, 1, height, width) to (N, ...)."""
    lit = np.eye(height * width).reshape(-1, 1, height, width)  # (H * W, H * W) -> (H * W, 1, H, W)
    return linear_map(lit).reshape(height * width, -1).T  # (H * W, ...) -> (n_out, H * W)


kernel = np.arange(1.0, 10).reshape(1, 1, 3, 3)
matrix = matrix_of(lambda images: conv2d(images, kernel), 6, 6)
x = rng.normal(size=(1, 1, 6, 6))
# (16, 36) @ (36,)
np.testing.assert_allclose(matrix @ x.ravel(), conv2d(x, kernel).ravel(), rtol=1e-10, atol=1e-12)
print(f"{matrix.shape} entries, {np.count_nonzero(matrix)} not zero, {len(np.unique(matrix)) - 1} different")
assert all(sorted(row[row != 0]) == list(range(1, 10)) for row in matrix)

# %%
fig, ax = plt.subplots(figsize=(10, 4.4), layout="constrained")
shown = ax.imshow(np.where(matrix == 0, np.nan, matrix), cmap="viridis")
ax.set(xlabel="input pixel (6×6, row by row)", ylabel="output pixel (4×4)")
ax.set_title("One filter as a matrix: few entries, and the same nine in each row")
fig.colorbar(shown, ax=ax, label="weight")
plt.show()

# %% [markdown]
# A linear layer with as many outputs (*dense*: every output sees every pixel) may choose each of these
# entries freely. Convolution decides two things beforehand: look only nearby, and look for the same thing
# everywhere (*parameter sharing*). On `device="meta"` (4.5) PyTorch counts parameters without making them.

# %%
counts = {
    "dense": sum(p.numel() for p in nn.Linear(28 * 28, 16 * 26 * 26, device="meta").parameters()),
    "convolution": sum(p.numel() for p in nn.Conv2d(1, 16, 3, device="meta").parameters()),
}
print(f"{'28×28 to 16×26×26':20s}{'parameters':>12s}")
for name, count in counts.items():
    print(f"{name:20s}{count:12,}")
assert counts == {"dense": (28 * 28 + 1) * 16 * 26 * 26, "convolution": 16 * (9 + 1)}

# %% [markdown]
# ## Shift the image, and the map shifts
#
# A cup further to the right is still a cup. Sharing gives us that: to shift and then convolve is to
# convolve and then shift. This is called *translation equivariance*. Two things break it. Zeros from the
# padding look like an edge, so the border can differ. And a stride of two looks at every other pixel:
# shifted by one, it sees the others.


# %%
def shift(image, rows, columns):
    """The image (..., H, W) moved down and to the right, zeros where nothing came from."""
    out = np.zeros_like(image)
    out[..., rows:, columns:] = image[..., : image.shape[-2] - rows, : image.shape[-1] - columns]
    return out


x, weight = gray[None, None], kernels["brighter to the right"][None, None]  # (1, 1, H, W) and (1, 1, 3, 3)
gaps = {}
for name, stride in (("stride 1", 1), ("stride 2", 2)):
    first = conv2d(shift(x, 2, 2), weight, stride=stride, padding=1)  # by two pixels of the input
    second = shift(conv2d(x, weight, stride=stride, padding=1), 2 // stride, 2 // stride)
    gaps[f"{name}, by 2"] = np.abs(first - second)[0, 0]
by_one = conv2d(shift(x, 1, 1), weight, stride=2, padding=1)
choices = [shift(conv2d(x, weight, stride=2, padding=1), k, k) for k in (0, 1)]
gaps["stride 2, by 1"] = min((np.abs(by_one - choice)[0, 0] for choice in choices), key=np.mean)

inside = {name: gap[4:-4, 4:-4].max() for name, gap in gaps.items()}
border = {name: max(gap[:4].max(), gap[:, :4].max()) for name, gap in gaps.items()}
print(f"{'shifted':20s}{'inside':>12s}{'border':>12s}")
for name in gaps:
    print(f"{name:20s}{inside[name]:12.1e}{border[name]:12.1e}")
assert inside["stride 1, by 2"] < 1e-12 > inside["stride 2, by 2"]
assert border["stride 1, by 2"] > 0.1 < inside["stride 2, by 1"]

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, gap) in zip(axes, gaps.items()):
    shown = ax.imshow(gap[:30, :40], vmin=0, vmax=1)
    ax.set(title=name, xlabel="column", ylabel="row")
fig.colorbar(shown, ax=axes, label="difference (top left corner)")
fig.suptitle("Equal up to the border, unless a stride meets a shift it does not divide")
plt.show()

# %% [markdown]
# ## How much does one output see?
#
# Layers add up. An output of the second layer sees a patch of maps, each of which saw a patch of pixels:
# its *receptive field* $r$. Two neighbours in a map lie $j$ input pixels apart, and strides multiply that
# *jump*:
#
# $$r \leftarrow r + d\,(k - 1)\, j, \qquad j \leftarrow j\, s, \qquad \text{from } r = j = 1 .$$


# %%
def receptive_field(layers):
    """Input pixels, along one axis, that one output sees; layers: (kernel size, stride, dilation) each."""
    field = jump = 1
    for kernel_size, stride, dilation in layers:
        field += dilation * (kernel_size - 1) * jump
        jump *= stride
    return field


layers = (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1)
field = receptive_field(layers)
print(f"one output of these five layers sees {field}×{field} pixels")
assert field == 1 + 2 + 2 + 2 + 2 + 4
assert receptive_field([(3, 2, 1), (3, 1, 2)]) == 1 + 2 + 8  # dilation and stride multiply

# %% [markdown]
# To measure it, light one pixel at a time again and watch a single output. With all weights equal, its
# answer counts the paths from that pixel. Pixels in the middle have many, one in a corner has a single
# path: the receptive field is real, but its corners hardly matter.


# %%
def one_output(x):
    """The first output of `layers`, all weights one ninth; x: (N, 1, field, field)."""
    for _, stride, dilation in layers:
        x = conv2d(x, np.full((1, 1, 3, 3), 1 / 9), stride=stride, dilation=dilation)
    return x[:, 0, 0, 0]


side = field + 4
influence = matrix_of(one_output, side, side).reshape(side, side)  # (1, side * side) -> (side, side)
seen = influence > 0
print(f"rows that matter {seen.any(axis=1).sum()}, corner to middle {influence[0, 0] / influence.max():.3f}")
assert seen[:field, :field].all() and not seen[field:].any() and not seen[:, field:].any()
assert influence[0, 0] < influence.max() / 50 and abs(influence.sum() - 1) < 1e-12

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
shown = ax.imshow(np.where(seen, influence, np.nan))
ax.set(xlabel="column of the input (white: not seen)", ylabel="row of the input")
ax.set_title("The corners of the field hardly count")
fig.colorbar(shown, ax=ax, label="weight of the pixel in the output")
plt.show()

# %% [markdown]
# ## Who chooses the nine numbers?
#
# So far we did. But a filter can be found from examples: a picture before and after. Each window is a row
# of nine numbers, each pixel after it a target, and the best filter is a least-squares fit, as in lesson
# 4.6. We take the coffee, embossed and with noise added, and see whether the found filter embosses a
# rocket as well.

# %%
target = maps["emboss"] + rng.normal(scale=0.1, size=maps["emboss"].shape)
# (H', W', 3, 3) -> (H' * W', 9)
columns = np.lib.stride_tricks.sliding_window_view(gray, (3, 3)).reshape(-1, 9)
found = np.linalg.lstsq(columns, target.ravel(), rcond=None)[0].reshape(3, 3)  # (9,) -> (3, 3)
rocket = plt.imread(HERE / "data" / "rocket.jpg")[::2, ::2].mean(axis=2) / 255  # (H, W)
embossed = [filter_image(rocket, kernel) for kernel in (kernels["emboss"], found)]
error = np.abs(embossed[1] - embossed[0]).mean()
print(f"found\n{found.round(1)}\nmean error on the rocket {error:.4f}")
assert np.abs(found - kernels["emboss"]).max() < 0.1 and error < 0.01

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
panels = (
    (target, "learned from: coffee, with noise"),
    (rocket, "then given: a rocket"),
    (embossed[1], "its answer"),
)
for ax, (shown, title) in zip(axes, panels):
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
    ax.set(title=title, xticks=[], yticks=[])
fig.suptitle("A filter learned on one photo works on another")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Conv2d` keeps `weight` and `bias` in the shapes used here. We copy a layer's parameters into our
# function and compare outputs in float64, then do the same with channels that do not fit: both refuse.

# %%
torch.manual_seed(0)
layer = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1, dtype=torch.float64)
ours = conv2d(image, layer.weight.detach().numpy(), layer.bias.detach().numpy(), stride=2, padding=1)
largest = np.abs(ours - layer(torch.from_numpy(image)).detach().numpy()).max()
print(f"{tuple(layer.weight.shape)} weights, largest difference {largest:.1e}")
assert largest < 1e-12

refused = []
for attempt in (
    lambda: layer(torch.ones(1, 4, 9, 9, dtype=torch.float64)),
    lambda: conv2d(image[:, :2], red),
):
    try:
        attempt()
    except (RuntimeError, ValueError) as error_message:
        refused.append(str(error_message))
print(refused[1])
assert len(refused) == 2

# %% [markdown]
# ## What to remember
#
# - A filter is a question asked everywhere; its answers form a map. Libraries slide it unflipped.
# - Output size: $\lfloor (\text{in} + 2p - d(k-1) - 1)/s \rfloor + 1$.
# - It is a linear layer with two decisions made: look nearby, and share the weights.
# - Shift in, shift out: inside the border, and for shifts that the stride divides.
# - Receptive fields grow by $d(k-1)$ times the strides so far; their middle counts most.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. In the shift experiment, shift with `np.roll`, and in place of `padding=1` give `conv2d` images that
#    `np.pad(…, mode="wrap")` has padded. What becomes of the border?
# 2. Replace the 9×9 blur by four 3×3 blurs in a row. Same field, same picture? How many weights?
# 3. Let `groups=3` have six filters instead of three, and show only the first three channels of the answer
#    (`blurred[:, :, :3]`). Which filters see the red channel?
#
# ## Sources
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
#   *Proceedings of the IEEE* 86, 1998, section II.
# - V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016: the sizes.
# - I. Sobel, "An isotropic 3×3 image gradient operator", 1968 (published 2014): the edge filter.
# - W. Luo, Y. Li, R. Urtasun, R. Zemel, "Understanding the effective receptive field in deep convolutional
#   neural networks", NeurIPS 2016: the weak rim.
# - scikit-image, *data*: the photos (CC0; the rocket by SpaceX, public domain).
