# %% [markdown]
# # 9.1 Convolution: one small filter, everywhere
#
# Lay a stencil with nine holes on a photo, and write down how well what shows through fits what you are
# looking for. Then move it by one pixel and write down again, until you have been everywhere. The
# numbers form a new picture, a map of where the thing is. This is a *convolution*, and the stencil is
# called a *filter* or *kernel*. Networks that read X-ray images, sort photos or find the road for a car
# are made of convolutions more than of anything else, and here we look at what one of them computes.
#
# **You will build** convolution from one loop over pixels to what `nn.Conv2d` computes, with stride,
# padding, dilation, channels, groups and batches, and see why it suits images. **You need** tensor
# operations (2.2), linear layers (5.6) and least squares (4.6).

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
# Take five pixels in a row, three dark ones and then two bright ones, and the filter $(-1, 1)$. In each
# of its four places we multiply what lies on top of each other and add up:
#
# $$\begin{aligned}
#   \text{pixels} \quad & 0, \; 0, \; 0, \; 9, \; 9 \\
#   \text{place 1} \quad & -1 \cdot 0 + 1 \cdot 0 = 0 \\
#   \text{place 2} \quad & -1 \cdot 0 + 1 \cdot 0 = 0 \\
#   \text{place 3} \quad & -1 \cdot 0 + 1 \cdot 9 = 9 \\
#   \text{place 4} \quad & -1 \cdot 9 + 1 \cdot 9 = 0
# \end{aligned}$$
#
# The filter subtracts the left neighbour from the right one, so its answer is zero where nothing changes
# and large at the edge. In two dimensions it is the same with a small rectangle of weights.


# %%
def filter_image(image, kernel):
    """Slide kernel (kh, kw) over image (H, W): a map (H - kh + 1, W - kw + 1) of sums of products."""
    height, width = image.shape
    kh, kw = kernel.shape
    dtype = np.result_type(image, kernel, np.float32)  # floats, also for whole numbers
    kernel = kernel.astype(dtype)
    out = np.zeros((height - kh + 1, width - kw + 1), dtype)
    for i in range(height - kh + 1):
        for j in range(width - kw + 1):
            out[i, j] = (image[i : i + kh, j : j + kw] * kernel).sum()
    return out


row = np.array([[0.0, 0, 0, 9, 9]])  # (1, 5)
edges = filter_image(row, np.array([[-1.0, 1]]))
print(edges)
assert edges.tolist() == [[0, 0, 9, 0]]

# %% [markdown]
# ## Five filters
#
# What a filter looks for depends on its nine weights:
#
# - Equal weights that sum to one take a local mean, so they blur.
# - _Sobel's_ filter subtracts the column on the left from the one on the right. Its answer is positive
#   where the image gets brighter to the right. Its transpose answers where it gets brighter downwards.
# - A large weight in the middle with negative ones around it sharpens.
# - Weights that rise along a diagonal make edges look like relief under a lamp (_emboss_).
#
# What should Sobel's filter answer on an area of one grey? Its weights sum to zero, so the answer
# should be zero. (To see your own photo, put it into `data/` and its name in place of `coffee.jpg`, as
# 2.1 says.)


# %%
def load_photo(path):
    """A photo at half its size: (H, W, 3), 0 to 1. Raises ValueError if it is not an 8-bit RGB picture."""
    photo = plt.imread(path)
    if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
        raise ValueError(
            f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
        )
    return photo[::2, ::2] / 255  # every other pixel


photo = load_photo(HERE / "data" / "coffee.jpg")  # (H, W, 3)
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
print(
    f"Sobel's filter on a flat grey area: at most {np.abs(flat).max():.1e}, "
    f"on the photo {maps['brighter to the right'].max():.1f}"
)

# %%
fig, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
axes[0, 0].imshow(gray, cmap="gray", vmin=0, vmax=1)
axes[0, 0].set(title="the photo", xticks=[], yticks=[])
for ax, (name, filtered) in zip(axes.flat[1:], maps.items()):
    if name.startswith("brighter"):  # signed answers
        ax.imshow(filtered, cmap="RdBu", vmin=-2, vmax=2)
    else:
        ax.imshow(filtered, cmap="gray", vmin=0, vmax=1)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("Five filters on one photo (blue: positive, red: negative)")
plt.show()

# %% [markdown]
# In the two coloured maps most of the picture is white, because within an object little changes. The
# rim of the cup is blue on the left, where it gets brighter, and red on the right, where it gets
# darker. The map for "right" hardly shows horizontal edges, and the map for "downwards" hardly vertical
# ones, so the two answer different questions about the same pixels.
#
# ## Stride, padding, dilation
#
# Three settings change where the filter looks. *Padding* $p$ lays zeros around the image, so that
# pixels at the border can be in the middle of the filter. The stride $s$ moves the filter by more than
# one pixel at a time, which makes the map smaller. *Dilation* $d$ spreads the filter's own weights, so
# that $k$ of them span $d(k-1)+1$ pixels. How many places does the filter then have, on $n$ pixels?
#
# $$\text{out} = \left\lfloor \frac{n + 2p - d(k-1) - 1}{s} \right\rfloor + 1 .$$
#
# Each setting may be one number or a pair, for rows and columns, as in PyTorch.


# %%
def pair(setting):
    """A setting for rows and for columns: 2 means (2, 2)."""
    return setting if isinstance(setting, tuple) else (setting, setting)


def output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """Places a filter has along one axis; raises ValueError if it does not fit, or for a wrong setting."""
    if stride < 1 or dilation < 1 or padding < 0:
        raise ValueError(
            f"stride {stride} and dilation {dilation} must be 1 or more, padding {padding} not negative"
        )
    span = dilation * (kernel_size - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(f"a filter that spans {span} does not fit into {size} + 2 * {padding} pixels")
    return (size + 2 * padding - span) // stride + 1


# %%
def slide(image, kernel, stride=1, padding=0, dilation=1):
    """`filter_image` with the three settings; image: (H, W), kernel: (kh, kw)."""
    kh, kw = kernel.shape
    row_stride, column_stride = pair(stride)
    rows, cols = pair(padding)
    row_dilation, column_dilation = pair(dilation)
    height = output_size(image.shape[0], kh, row_stride, rows, row_dilation)
    width = output_size(image.shape[1], kw, column_stride, cols, column_dilation)
    dtype = np.result_type(image, kernel, np.float32)
    kernel = kernel.astype(dtype)
    padded = np.pad(image, ((rows, rows), (cols, cols)))
    out = np.zeros((height, width), dtype)
    for i in range(height):
        for j in range(width):
            top = i * row_stride
            left = j * column_stride
            window = padded[
                top : top + row_dilation * kh : row_dilation,
                left : left + column_dilation * kw : column_dilation,
            ]
            out[i, j] = (window * kernel).sum()
    return out


small = rng.normal(size=(7, 6))
same_size = slide(small, sobel, padding=1)
half_size = slide(small, sobel, padding=1, stride=2)
print(f"7×6 pixels: padding 1 keeps {same_size.shape}, with stride 2 it is {half_size.shape}")
np.testing.assert_allclose(slide(small, sobel), filter_image(small, sobel), rtol=1e-10, atol=1e-12)
np.testing.assert_array_equal(half_size, same_size[::2, ::2])  # a stride keeps every other place

# %% [markdown]
# Dilation is the same as a larger kernel with zeros in its holes, which gives a check for free.

# %%
with_holes = np.zeros((5, 5))
with_holes[::2, ::2] = sobel
dilated = slide(small, sobel, dilation=2)
np.testing.assert_allclose(dilated, filter_image(small, with_holes), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Channels, groups, a batch
#
# A colour photo has three *channels*: red, green and blue. A filter then has one slice of weights for
# each channel, and the answers add up, so one filter gives one map. Many filters give many maps, and
# these are the channels for the next layer. With *groups* the channels are dealt out, and each filter
# sees only the channels of its group; if each channel has a group of its own, the convolution is called
# *depthwise*. For image $n$ of the batch and filter $o$:
#
# $$y_{n,o,i,j} = b_o + \sum_{c, u, v} w_{o,c,u,v}\; x_{n,\,c,\,si + du,\,sj + dv} .$$


# %%
def check_channels(x, weight, bias, groups):
    """Raise ValueError if x (N, C, H, W), weight (C_out, C / groups, kh, kw), bias (C_out,) do not match."""
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise ValueError(f"x has shape {x.shape} but the weight {weight.shape}, with groups={groups}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"the weight has shape {weight.shape} but the bias {bias.shape}")


def conv2d_loops(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """What F.conv2d computes, one image, filter and channel at a time: (N, C_out, H_out, W_out).

    Raises ValueError if channels or bias do not match or a filter does not fit.
    """
    check_channels(x, weight, bias, groups)
    c_out, c_in, kh, kw = weight.shape  # c_in: the channels that one filter sees
    settings = zip(pair(stride), pair(padding), pair(dilation))  # for rows, then for columns
    sizes = [output_size(n, k, *setting) for n, k, setting in zip(x.shape[2:], (kh, kw), settings)]
    out = np.zeros((len(x), c_out, *sizes), np.result_type(x, weight, np.float32))
    for n in range(len(x)):
        for o in range(c_out):
            first = o // (c_out // groups) * c_in  # the first channel of the filter's group
            for c in range(c_in):
                out[n, o] += slide(x[n, first + c], weight[o, c], stride, padding, dilation)
            if bias is not None:
                out[n, o] += bias[o]
    return out


# %% [markdown]
# Filters can now ask about colour. A filter of one pixel (*pointwise*) looks at no neighbours and only
# mixes channels: red minus the mean of the others. And a depthwise blur treats each colour for itself.

# %%
image = photo.transpose(2, 0, 1)[None]  # (H, W, 3) -> (1, 3, H, W)
red = np.array([1, -0.5, -0.5]).reshape(1, 3, 1, 1)
redness = conv2d_loops(image, red)[0, 0]
depthwise = np.full((3, 1, 9, 9), 1 / 81)
blurred = conv2d_loops(image, depthwise, padding=4, groups=3)[0].transpose(1, 2, 0)  # (3, H, W) -> (H, W, 3)
np.testing.assert_allclose(redness, photo @ red.ravel(), rtol=1e-10, atol=1e-12)  # (H, W, 3) @ (3,) -> (H, W)

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
axes[0].imshow(photo)
drawn = axes[1].imshow(redness, cmap="RdBu_r", vmin=-0.8, vmax=0.8)
fig.colorbar(drawn, ax=axes[1], label="red minus the mean of the others")
axes[2].imshow(blurred.clip(0, 1))
for ax, title in zip(axes, ("the photo", "a pointwise filter", "a depthwise blur, 9 × 9")):
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The pointwise filter answers most strongly on the red and brown parts. The depthwise blur has kept the
# colours, because no channel has seen another one; its border is dark, because there the window
# contains zeros of the padding.
#
# The loops do the same thing everywhere: cut a window, multiply, add. `sliding_window_view` offers all
# windows as one array with two more axes, without a copy. A stride skips windows, a dilation skips
# pixels inside them, and one `tensordot` sums over the channel, the row and the column of the filter,
# which is the formula above.


# %%
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlate x (N, C, H, W) with weight (C_out, C / groups, kh, kw), add bias (C_out,).

    Returns (N, C_out, H_out, W_out), as F.conv2d does. Raises ValueError if channels or bias do not match
    or a filter does not fit into the padded image.
    """
    check_channels(x, weight, bias, groups)
    kh, kw = weight.shape[2:]
    row_stride, column_stride = pair(stride)
    rows, cols = pair(padding)
    row_dilation, column_dilation = pair(dilation)
    output_size(x.shape[2], kh, row_stride, rows, row_dilation)  # raises if the filter does not fit
    output_size(x.shape[3], kw, column_stride, cols, column_dilation)
    x = x.astype(np.result_type(x, weight, np.float32), copy=False)
    padded = np.pad(x, ((0, 0), (0, 0), (rows, rows), (cols, cols)))
    spans = (row_dilation * (kh - 1) + 1, column_dilation * (kw - 1) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(2, 3))  # (N, C, ., ., span, span)
    windows = windows[:, :, ::row_stride, ::column_stride, ::row_dilation, ::column_dilation]
    parts = []
    for group, filters in zip(np.split(windows, groups, axis=1), np.split(weight, groups)):
        parts.append(np.tensordot(group, filters, axes=((1, 4, 5), (1, 2, 3))))  # (N, H_out, W_out, filters)
    out = np.concatenate(parts, axis=3)  # (N, H_out, W_out, C_out)
    if bias is not None:
        out = out + bias
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))  # (N, C_out, H_out, W_out)


# %% [markdown]
# ## The same in PyTorch
#
# Both forms must agree with `F.conv2d` on every combination of settings.

# %%
x = rng.normal(size=(2, 4, 9, 8))
bias = rng.normal(size=6)
combinations = list(itertools.product((1, 2, (3, 1)), (0, 1, (2, 0)), (1, 2), (1, 2)))
largest = 0.0
for stride, padding, dilation, groups in combinations:
    weight = rng.normal(size=(6, 4 // groups, 3, 2))
    settings = (stride, padding, dilation, groups)
    ours = conv2d(x, weight, bias, *settings)
    np.testing.assert_allclose(ours, conv2d_loops(x, weight, bias, *settings), rtol=1e-10, atol=1e-12)
    theirs = F.conv2d(torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias), *settings)
    assert ours.shape == tuple(theirs.shape)
    largest = max(largest, np.abs(ours - theirs.numpy()).max())
print(f"{len(combinations)} combinations, largest difference from F.conv2d: {largest:.1e}")
assert largest < 1e-12, "our convolution is PyTorch's"

# %% [markdown]
# As a layer of a network it is `nn.Conv2d`, which keeps `weight` and `bias` in the shapes used here.
# The weights are random at first and learned like those of a linear layer; lesson 9.6 derives their
# gradients.

# %%
torch.manual_seed(0)
layer = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1, dtype=torch.float64)
with torch.no_grad():
    theirs = layer(torch.from_numpy(image)).numpy()
ours = conv2d(image, layer.weight.detach().numpy(), layer.bias.detach().numpy(), stride=2, padding=1)
print(f"weights {tuple(layer.weight.shape)}, output {ours.shape}")
np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## A linear layer in disguise
#
# A convolution multiplies and adds, so some matrix must do the same to the pixels in a row. To find the
# matrix of any linear map, give it unit images, in each of which one pixel is one and all others are
# zero. Each answer is a column of the matrix. How many of its entries will be zero, and how many
# different ones are there, for a filter with nine weights?


# %%
def matrix_of(linear_map, height, width):
    """The matrix (n_out, height * width) of a map from (N, 1, height, width) to (N, ...)."""
    n_pixels = height * width
    unit_images = np.eye(n_pixels).reshape(n_pixels, 1, height, width)  # (H * W, H * W) -> (H * W, 1, H, W)
    return linear_map(unit_images).reshape(n_pixels, -1).T  # (H * W, ...) -> (n_out, H * W)


kernel = np.arange(1.0, 10).reshape(1, 1, 3, 3)
matrix = matrix_of(lambda images: conv2d(images, kernel), 6, 6)
x = rng.normal(size=(1, 1, 6, 6))
np.testing.assert_allclose(
    matrix @ x.ravel(),  # (16, 36) @ (36,) -> (16,)
    conv2d(x, kernel).ravel(),
    rtol=1e-10,
    atol=1e-12,
)
weights_in_rows = [sorted(row[row != 0]) for row in matrix]
print(f"{matrix.shape} entries, {np.count_nonzero(matrix)} not zero, {len(np.unique(matrix)) - 1} different")

# %%
fig, ax = plt.subplots(figsize=(10, 4.4), layout="constrained")
drawn = ax.imshow(np.where(matrix == 0, np.nan, matrix), cmap="viridis")
ax.set(xlabel="input pixel (6×6, row by row)", ylabel="output pixel (4×4)")
ax.set_title("A 3 × 3 filter as a matrix (white: zero)")
fig.colorbar(drawn, ax=ax, label="weight")
plt.show()

# %% [markdown]
# Each row of the matrix has the same nine weights, shifted to the pixels under the filter, and zeros
# everywhere else. Such a matrix is called *Toeplitz*, here made of Toeplitz blocks. A linear layer with
# as many outputs could choose each of these entries freely. Convolution decides two things beforehand:
# each output looks only at pixels nearby, and all outputs look for the same thing (*parameter
# sharing*). How much does that save? On the `meta` device (4.5) PyTorch counts parameters without
# making them.

# %%
counts = {
    "linear layer": sum(p.numel() for p in nn.Linear(28 * 28, 16 * 26 * 26, device="meta").parameters()),
    "convolution": sum(p.numel() for p in nn.Conv2d(1, 16, 3, device="meta").parameters()),
}
print(f"{'28×28 to 16×26×26':20s}{'parameters':>12s}")
for name, count in counts.items():
    print(f"{name:20s}{count:12,}")

# %% [markdown]
# The linear layer has over eight million parameters, and the convolution has 160.
#
# ## Shift the image, and the map shifts
#
# A cup further to the right is still a cup. With shared weights it gives the same answers, further to
# the right: to shift and then convolve is the same as to convolve and then shift. This is called
# *translation equivariance*. Two things could break it. At the border the zeros of the padding look
# like an edge, and a stride of two looks at every other pixel, so that after a shift by one it sees the
# others. We shift by two pixels with strides of one and two, and by one pixel with a stride of two,
# where the map may move by zero or one place, whichever fits better.


# %%
def shift(image, rows, columns):
    """The image (..., H, W) moved down and to the right, zeros where nothing came from."""
    out = np.zeros_like(image)
    out[..., rows:, columns:] = image[..., : image.shape[-2] - rows, : image.shape[-1] - columns]
    return out


def edge_map(x, stride):
    """The map (H_out, W_out) of Sobel's filter on x (1, 1, H, W)."""
    return conv2d(x, sobel[None, None], stride=stride, padding=1)[0, 0]


def shift_gap(n_pixels, stride, n_places):
    """How far the map of the image shifted by n_pixels is from the map shifted by n_places."""
    x = gray[None, None]  # (H, W) -> (1, 1, H, W)
    shifted_first = edge_map(shift(x, n_pixels, n_pixels), stride)
    return np.abs(shifted_first - shift(edge_map(x, stride), n_places, n_places))


gaps = {
    "stride 1, by 2 pixels": shift_gap(2, 1, 2),
    "stride 2, by 2 pixels": shift_gap(2, 2, 1),
    "stride 2, by 1 pixel": min((shift_gap(1, 2, k) for k in (0, 1)), key=np.mean),
}
inside = {name: gap[4:-4, 4:-4].max() for name, gap in gaps.items()}
border = {name: max(gap[:4].max(), gap[:, :4].max()) for name, gap in gaps.items()}
print(f"{'largest difference':24s}{'inside':>12s}{'border':>12s}")
for name in gaps:
    print(f"{name:24s}{inside[name]:12.1e}{border[name]:12.1e}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, gap) in zip(axes, gaps.items()):
    drawn = ax.imshow(gap[:30, :40], vmin=0, vmax=1)
    ax.set(title=name, xlabel="column", ylabel="row")
fig.colorbar(drawn, ax=axes, label="difference")
fig.suptitle("Shifted and convolved, minus convolved and shifted: top left corner of the map")
plt.show()

# %% [markdown]
# In the first panel the map has moved exactly with the image, but for a thin line at the left border. There
# the filter sees the step from the zeros to the photo at a place that the map of the photo before the shift
# does not have. The second panel shows no difference at all, because the stride of two skips just this
# line. In the third panel the differences follow the bright area of the photo: if the stride does not
# divide the shift, the filter really sees other pixels.
#
# ## How much does one output see?
#
# Layers add up. An output of the second layer sees a patch of the first layer's map, and each place of
# that map saw a patch of pixels. The square of pixels that it depends on is its *receptive field*, of
# width $r$. Two neighbours in a map lie $j$ input pixels apart, and every stride multiplies this
# distance:
#
# $$r \leftarrow r + d\,(k - 1)\, j, \qquad j \leftarrow j\, s, \qquad \text{beginning with } r = j = 1 .$$


# %%
def receptive_field(layers):
    """Input pixels, along one axis, that one output sees; layers: (kernel size, stride, dilation) each."""
    field = 1
    jump = 1
    for kernel_size, stride, dilation in layers:
        field += dilation * (kernel_size - 1) * jump
        jump *= stride
    return field


layers = ((3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1))
field = receptive_field(layers)
print(f"one output of these five layers sees {field}×{field} pixels")

# %% [markdown]
# Do all pixels of the field count alike? To measure it, we again give unit images and look at a single
# output. All weights are equal, so its answer is proportional to the number of paths from that pixel.


# %%
def one_output(x):
    """The first output of `layers`, all weights one ninth; x: (N, 1, H, W)."""
    for _, stride, dilation in layers:
        x = conv2d(x, np.full((1, 1, 3, 3), 1 / 9), stride=stride, dilation=dilation)
    return x[:, 0, 0, 0]


side = field + 4
influence = matrix_of(one_output, side, side).reshape(side, side)  # (1, side * side) -> (side, side)
seen = influence > 0
corner_share = influence[0, 0] / influence.max()
print(f"rows that matter {seen.any(axis=1).sum()}, corner against middle {corner_share:.3f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
drawn = ax.imshow(np.where(seen, influence, np.nan))
ax.set(xlabel="column of the input (white: not seen)", ylabel="row of the input")
ax.set_title("Influence of each pixel on one output")
fig.colorbar(drawn, ax=ax, label="weight of the pixel in the output")
plt.show()

# %% [markdown]
# The coloured square has the width that the formula says. Its corners hardly count, because from a
# corner there is a single path to the output, while from a pixel in the middle there are many.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert np.abs(flat).max() < 1e-12, "Sobel's filter is silent on a flat area"
assert maps["brighter to the right"].max() > 1, "and answers at edges"
assert same_size.shape == small.shape, "padding by one keeps the size with a 3 × 3 filter"
assert all(weights == list(range(1, 10)) for weights in weights_in_rows), "each row has the same nine weights"
assert counts["linear layer"] > 50_000 * counts["convolution"], "sharing saves nearly all parameters"
for name in ("stride 1, by 2 pixels", "stride 2, by 2 pixels"):
    assert inside[name] < 1e-12, f"the map moves with the image: {name}"
assert border["stride 1, by 2 pixels"] > 0.1, "but not at the border, where the padding looks like an edge"
assert border["stride 2, by 2 pixels"] < 1e-12, "with a stride of two it moves exactly at the border, too"
assert inside["stride 2, by 1 pixel"] > 0.1, "a shift that the stride does not divide changes the map"
assert field == 1 + 2 + 2 + 2 + 2 + 4, "the five layers see 13 pixels in each direction"
assert seen[:field, :field].all(), "one output depends on every pixel of its receptive field"
assert seen.sum() == field**2, "and on no other"
assert corner_share < 1 / 50, "the corners of the field hardly count"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It shows that a filter can be found from examples, as all networks from here on
# find theirs, and explains the flip, which lesson 9.6 needs and explains again in short.
#
# ### Who chooses the nine numbers?
#
# So far we chose them ourselves, but they can also be found from examples. One picture before the filter
# and one after it are enough here: each window of the first is a row of nine numbers, each pixel of the
# second is a target, and the best filter is a least-squares fit (4.6). As the picture after it we take the
# embossed coffee photo with noise added, and we see whether the fitted filter embosses a photo of a rocket
# as well.

# %%
target = maps["emboss"] + rng.normal(scale=0.1, size=maps["emboss"].shape)
windows = np.lib.stride_tricks.sliding_window_view(gray, (3, 3))  # (H', W', 3, 3)
windows = windows.reshape(-1, 9)  # -> (H' * W', 9)
solution, *_ = np.linalg.lstsq(windows, target.ravel(), rcond=None)
learned = solution.reshape(3, 3)  # (9,) -> (3, 3)
rocket = load_photo(HERE / "data" / "rocket.jpg").mean(axis=2)  # (H, W)
rocket_wanted = filter_image(rocket, kernels["emboss"])
rocket_learned = filter_image(rocket, learned)
error = np.abs(rocket_learned - rocket_wanted).mean()
print(f"learned\n{learned.round(1)}\nmean error on the rocket {error:.4f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
panels = {
    "learned from: the coffee, with noise": target,
    "then given: a rocket": rocket,
    "its answer": rocket_learned,
}
for ax, (title, panel) in zip(axes, panels.items()):
    ax.imshow(panel, cmap="gray", vmin=0, vmax=1)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The fit has found the nine weights in spite of the noise, and on the rocket it is as good as the
# filter that we wrote down. A network does the same without being shown the picture after: it finds the
# filters whose maps help to lower its loss.
#
# ### A word that means two things
#
# Mathematics flips the kernel before it slides, and only that is called convolution there. What we have
# computed is *cross-correlation*:
#
# $$(x \star k)_i = \sum_u x_{i+u}\, k_u, \qquad (x * k)_i = \sum_u x_{i-u}\, k_u .$$
#
# With the flip the order does not matter, $a * b = b * a$, as in multiplying polynomials, and
# `np.convolve` does it so. A network learns its kernels and could learn a flipped one as well, so the
# libraries leave the flip out and keep the name. Where the kernel has a direction the flip is visible.
# What do you expect of the relief?

# %%
a = np.array([1.0, 2, 3])
b = np.array([4.0, 5])
product = np.convolve(a, b)
print(f"(1 + 2t + 3t²)(4 + 5t) has the coefficients {product}")
assert product.tolist() == np.convolve(b, a).tolist()

signal = rng.normal(size=20)
kernel = rng.normal(size=4)
flipped_first = filter_image(signal[None], kernel[None, ::-1])[0]  # (20,) -> (1, 20), (4,) -> (1, 4)
np.testing.assert_allclose(flipped_first, np.convolve(signal, kernel, mode="valid"), rtol=1e-10, atol=1e-12)

inside_photo = gray[1:-1, 1:-1]
flipped_relief = filter_image(gray, kernels["emboss"][::-1, ::-1])
light = maps["emboss"] - inside_photo  # what the filter adds to the photo
flipped_light = flipped_relief - inside_photo
agreement = np.corrcoef(light.ravel(), flipped_light.ravel())[0, 1]
print(f"correlation of what the two reliefs add to the photo: {agreement:.2f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.imshow(maps["emboss"], cmap="gray", vmin=0, vmax=1)
left.set(title="cross-correlation", xticks=[], yticks=[])
right.imshow(flipped_relief, cmap="gray", vmin=0, vmax=1)
right.set(title="convolution, with the flip", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The light comes from the other side, so what stands out in the left picture is sunk in in the right one.

# %%
assert np.abs(learned - kernels["emboss"]).max() < 0.1, "a filter is found from one photo"
assert error < 0.01, "and works on another"
assert product.tolist() == [4, 13, 22, 15], "convolution multiplies polynomials"
assert agreement < -0.99, "with the flip the light comes from the other side"

# %% [markdown]
# ## What to remember
#
# - A filter asks one question at every place, and its answers form a map. Libraries slide it without a
#   flip.
# - Output size: $\lfloor (n + 2p - d(k-1) - 1)/s \rfloor + 1$.
# - A convolution is a linear layer with two decisions made: look nearby, and share the weights.
# - If the image shifts, the map shifts, except at the border and for shifts that the stride does not
#   divide.
# - Receptive fields grow by $d(k-1)$ times the product of the strides so far. Their middle counts most.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Replace the 9×9 blur by one of 3×3 that spans the same pixels: let `depthwise` be `np.full((3, 1,
#    3, 3), 1 / 9)` and give `dilation=4` to the call that blurs. Will the blurred photo look the same?
# 2. Give the fourth of the `layers` a stride of 1 and the second one a stride of 2. Does the receptive
#    field become larger or smaller, and does the claim about its corners still hold?
# 3. From a blank cell at the end: shift the photo with `np.roll` and pad it with `np.pad(…,
#    mode="wrap")` in place of zeros. What should become of the differences at the border? Compare with
#    the table of the shift experiment.
#
# ## Sources
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
#   recognition", _Proceedings of the IEEE_ 86, 1998, section II: local fields, shared weights.
#   Reproduced: "each row has the same nine weights".
# - V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016: the sizes.
#   Reproduced: "our convolution is PyTorch's".
# - I. Sobel, "An isotropic 3×3 image gradient operator", 1968 (published 2014): the edge filter.
# - W. Luo, Y. Li, R. Urtasun, R. Zemel, "Understanding the effective receptive field in deep
#   convolutional neural networks", NeurIPS 2016: the weak rim. Reproduced: "the corners of the field
#   hardly count".
# - scikit-image, _data_: the photos (CC0; the rocket by SpaceX, public domain).
