# %% [markdown]
# # 9.6 Convolution, fast and backward: three products and a flip
#
# A sieve is shaken over a whole beach: one tool, used everywhere. If the result is wrong, how should the
# sieve change, and which sand was to blame? A filter meets every patch of an image, so its gradient must
# collect from every patch. And all of it has to be fast: a network spends most of its time here.
#
# **You will build** convolution as one matrix product, its three gradients, a faster form without most of
# the copies, and a network trained with NumPy alone. **You need** convolution (9.1), pooling (9.2) and
# backward passes (6.4).

# %%
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
# Three pixels $x = (1, 2, 3)$, a filter $w = (4, 5)$: the outputs are $4 + 10 = 14$ and $8 + 15 = 23$. Let
# the gradient that arrives be $g = (1, 10)$. Weight $w_0$ met $x_0$ and $x_1$, so its gradient is
# $1 \cdot 1 + 10 \cdot 2 = 21$: slide $g$ over $x$. Pixel $x_1$ met $w_1$ in the first place and $w_0$ in
# the second: $1 \cdot 5 + 10 \cdot 4 = 45$: slide the *flipped* filter over a padded $g$.

# %%
x, w, g = np.array([1.0, 2, 3]), np.array([4.0, 5]), np.array([1.0, 10])
outputs = np.correlate(x, w, mode="valid")
d_w = np.correlate(x, g, mode="valid")
d_x = np.convolve(g, w, mode="full")  # convolution: with the flip
print(f"outputs {outputs}, gradient of w {d_w}, of x {d_x}")
assert outputs.tolist() == [14, 23] and d_w.tolist() == [21, 32] and d_x.tolist() == [4, 45, 50]

# %% [markdown]
# ## Columns and one product
#
# Every output is a dot product of the filter with one patch. Write all patches under each other as the
# rows of a large table, and one matrix product computes everything. The table is called *columns*
# (im2col), after the original, which stood upright. It repeats each pixel once for every weight that meets
# it: speed for memory.


# %%
def columns(x, kernel_size, stride=1, padding=0):
    """All patches of x (N, C, H, W): (N, H_out, W_out, C * kh * kw), for kernel_size (kh, kw)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(2, 3))[:, :, ::stride, ::stride]
    patches = windows.transpose(0, 2, 3, 1, 4, 5)  # (N, C, H', W', kh, kw) -> (N, H', W', C, kh, kw)
    return patches.reshape(*patches.shape[:3], -1)  # the copy: (N, H', W', C * kh * kw)


def conv2d(x, weight, bias, stride=1, padding=0):
    """F.conv2d by columns: (N, C, H, W) and (C_out, C, kh, kw) to (N, C_out, H_out, W_out), and the table.

    Raises ValueError where the channels or the bias do not fit.
    """
    if x.shape[1] != weight.shape[1] or bias.shape != weight.shape[:1]:
        raise ValueError(f"x has shape {x.shape}, the weight {weight.shape}, the bias {bias.shape}")
    table = columns(x, weight.shape[2:], stride, padding)
    flat = weight.reshape(len(weight), -1)  # (C_out, C, kh, kw) -> (C_out, K), K = C * kh * kw
    out = table @ flat.T + bias  # (N, H', W', K) @ (K, C_out) -> (N, H', W', C_out)
    return out.transpose(0, 3, 1, 2), table  # (N, H', W', C_out) -> (N, C_out, H', W')


x, weight, bias = rng.normal(size=(2, 3, 8, 7)), rng.normal(size=(5, 3, 3, 2)), rng.normal(size=5)
out, table = conv2d(x, weight, bias, stride=2, padding=1)
expected = F.conv2d(*map(torch.from_numpy, (x, weight, bias)), stride=2, padding=1)
print(f"{x.size} pixels became a table of {table.size} numbers, {out.size} outputs")
np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Three gradients
#
# With $G$ the arriving gradient as a table with one row per place, $P$ the patches and $\mathrm{d}W$ short
# for the loss's gradient in $W$, it is the linear layer of lesson 6.4 all over:
#
# $$Y = P\,W^\top + b: \qquad \mathrm{d}W = G^\top P, \qquad \mathrm{d}b = \textstyle\sum_{\text{places}} G,
#   \qquad \mathrm{d}P = G\, W .$$
#
# One step is new. A pixel stands in many patches, and copied forward means added backward. Pixels that met
# the same weight $(u, v)$ never collide, so we add one whole slice for each weight.


# %%
def conv2d_backward(grad, x_shape, weight, table, stride=1, padding=0):
    """Gradients for x, weight and bias from that of the output, grad: (N, C_out, H_out, W_out)."""
    n, c, height, width = x_shape
    c_out, _, kh, kw = weight.shape
    g = grad.transpose(0, 2, 3, 1).reshape(-1, c_out)  # (N, C_out, H', W') -> (N * H' * W', C_out)
    # M = N * H' * W' places, K = C * kh * kw numbers in a patch
    d_weight = (g.T @ table.reshape(len(g), -1)).reshape(weight.shape)  # (C_out, M) @ (M, K) -> (C_out, K)
    d_table = g @ weight.reshape(c_out, -1)  # (M, C_out) @ (C_out, K) -> (M, K)
    d_patches = d_table.reshape(n, *grad.shape[2:], c, kh, kw)  # (M, K) -> (N, H', W', C, kh, kw)
    d_patches = d_patches.transpose(0, 3, 1, 2, 4, 5)  # -> (N, C, H', W', kh, kw)
    d_x = np.zeros((n, c, height + 2 * padding, width + 2 * padding), grad.dtype)
    for u, v in np.ndindex(kh, kw):
        rows = slice(u, u + stride * grad.shape[2], stride)
        d_x[:, :, rows, v : v + stride * grad.shape[3] : stride] += d_patches[..., u, v]
    return d_x[:, :, padding : padding + height, padding : padding + width], d_weight, g.sum(axis=0)


# %% [markdown]
# The check: a random gradient arrives, and autograd must come to the same three answers for every stride
# and padding.

# %%
largest = 0.0
for stride, padding in np.ndindex(3, 3):
    settings = stride + 1, padding
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    theirs = F.conv2d(*tensors, *settings)
    cotangent = rng.normal(size=tuple(theirs.shape))
    expected = torch.autograd.grad(theirs, tensors, torch.from_numpy(cotangent))
    out, table = conv2d(x, weight, bias, *settings)
    found = conv2d_backward(cotangent, x.shape, weight, table, *settings)
    for ours, wanted in zip(found, expected, strict=True):
        assert ours.shape == tuple(wanted.shape)
        largest = max(largest, np.abs(ours - wanted.numpy()).max())
print(f"over strides and paddings, largest difference from autograd: {largest:.1e}")
assert largest < 1e-11

# %% [markdown]
# ## Backward is a convolution too
#
# As on paper: the gradient of the input is the arriving gradient, padded by $k - 1 - p$, under the flipped
# filter with its two channel axes swapped. A stride forward leaves $s - 1$ zeros between the entries
# backward. Used on its own, to make small maps larger, this is the *transposed convolution*: its matrix is
# the transpose of the one in lesson 9.1.


# %%
def transposed_conv2d(grad, weight, stride=1, padding=0):
    """What F.conv_transpose2d(grad, weight, None, stride, padding) computes, as an ordinary convolution.

    grad: (N, C_out, H', W'), weight: (C_out, C, kh, kw), returns (N, C, s (H' - 1) + kh - 2 p, ...).
    """
    n, c_out, height, width = grad.shape
    kh, kw = weight.shape[2:]
    spread = np.zeros((n, c_out, stride * (height - 1) + 1, stride * (width - 1) + 1), grad.dtype)
    spread[:, :, ::stride, ::stride] = grad
    spread = np.pad(spread, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # (C_out, C, kh, kw) -> (C, C_out, kh, kw)
    out, _ = conv2d(spread, flipped, np.zeros(len(flipped), grad.dtype))
    return out[:, :, padding : out.shape[2] - padding, padding : out.shape[3] - padding]


out, table = conv2d(x, weight, bias, stride=1, padding=1)
cotangent = rng.normal(size=out.shape)
by_slices, _, _ = conv2d_backward(cotangent, x.shape, weight, table, stride=1, padding=1)
np.testing.assert_allclose(transposed_conv2d(cotangent, weight, 1, 1), by_slices, rtol=1e-10, atol=1e-12)
theirs = F.conv_transpose2d(*map(torch.from_numpy, (cotangent, weight)), stride=2, padding=1)
np.testing.assert_allclose(transposed_conv2d(cotangent, weight, 2, 1), theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Blame has a shape. One output is wrong, and its gradient flows back to the pixels under the filter,
# weighted by the filter. Layer by layer it spreads over their receptive field.

# %%
one = np.zeros((1, 1, 15, 15))
one[0, 0, 7, 7] = 1
filters = rng.normal(size=(3, 1, 1, 3, 3))
blame = [one]
for single in filters:
    blame.append(transposed_conv2d(blame[-1], single, 1, 1))
touched = [int(np.count_nonzero(layer)) for layer in blame]
print(f"pixels to blame, layer by layer: {touched}")
assert touched == [1, 9, 25, 49]

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for i, (ax, layer) in enumerate(zip(axes, blame)):
    limit = np.abs(layer).max()
    ax.imshow(layer[0, 0], cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(
        title=("one output", "one layer back", "two layers back", "three layers back")[i],
        xlabel="column",
        ylabel="row",
    )
fig.suptitle("Going backward, the gradient spreads by one pixel a layer (red: negative, blue: positive)")
plt.show()

# %% [markdown]
# ## The same, faster
#
# The table is expensive: for a 3×3 filter it is nine times as large as the image, written to memory and
# read again. Put the channels *last*, and a pixel is a row. All pixels, shifted by one filter position,
# are then a slice of the same array, and need no copy: one matrix product for each shift, added up. We go
# half way: the shifts along a row laid side by side, one image at a time, small enough to stay in the
# processor's cache. Rows end in a few places where the filter would wrap around; those are computed and
# thrown away. How much is won, the chapter's benchmarks tell.


# %%
def shifted_rows(x, kw, padding):
    """For each image of x (N, H, W, C): its padded pixels beside their kw - 1 right neighbours, one a row.

    Yields (H_padded * W_padded, kw * C), each time the same array; padding: (rows, columns).
    """
    _, height, width, c = x.shape
    full_height, full_width = height + 2 * padding[0], width + 2 * padding[1]
    n_pixels = full_height * full_width
    padded = np.zeros((n_pixels + kw - 1, c), x.dtype)
    inside = padded[:n_pixels].reshape(full_height, full_width, c)  # the same memory: (H_padded, W_padded, C)
    inside = inside[padding[0] : padding[0] + height, padding[1] : padding[1] + width]
    beside = np.empty((n_pixels, kw * c), x.dtype)
    for image in x:
        inside[:] = image
        for v in range(kw):
            beside[:, v * c : (v + 1) * c] = padded[v : v + n_pixels]
        yield beside


def conv2d_last(x, weight, padding=(0, 0)):
    """Convolution, stride 1, channels last: x (N, H, W, C), weight (C_out, C, kh, kw) to (N, H', W', C_out).

    Raises ValueError where the channels do not fit.
    """
    if x.shape[3] != weight.shape[1]:
        raise ValueError(f"x has shape {x.shape} (channels last) but the weight {weight.shape}")
    (n, height, width, c), (c_out, _, kh, kw) = x.shape, weight.shape
    full_width, height = width + 2 * padding[1], height + 2 * padding[0] - kh + 1
    per_row = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))  # (C_out, C, kh, kw) -> (kh, kw, C, C_out)
    per_row = per_row.reshape(kh, kw * c, c_out)  # -> (kh, kw * C, C_out)
    out = np.empty((n, height, full_width - kw + 1, c_out), x.dtype)
    n_rows = height * full_width
    total, part = np.empty((2, n_rows, c_out), x.dtype)
    for target, beside in zip(out, shifted_rows(x, kw, padding)):
        np.matmul(beside[:n_rows], per_row[0], out=total)  # (n_rows, kw * C) @ (kw * C, C_out)
        for u in range(1, kh):
            start = u * full_width
            total += np.matmul(beside[start : start + n_rows], per_row[u], out=part)  # same shapes
        image = total.reshape(height, full_width, c_out)  # (n_rows, C_out) -> (H', W_padded, C_out)
        target[:] = image[:, : target.shape[1]]
    return out


# %% [markdown]
# Backward needs nothing new. The input's gradient is the same function on the flipped filter; that of the
# weights multiplies the same shifted rows with the arriving gradient, laid out at the padded width with
# zeros where nothing was kept.


# %%
def conv2d_last_backward(grad, x, weight, padding=(0, 0)):
    """Gradients for x, weight and bias of `conv2d_last`; grad: (N, H', W', C_out).

    Raises ValueError where the padding is not smaller than the kernel.
    """
    c_out, c, kh, kw = weight.shape
    if padding[0] >= kh or padding[1] >= kw:
        raise ValueError(f"padding {padding} must be smaller than the kernel {kh, kw}")
    full_width, height = x.shape[2] + 2 * padding[1], grad.shape[1]
    n_rows = height * full_width
    at_padded_width = np.zeros((height, full_width, c_out), grad.dtype)
    g = at_padded_width.reshape(n_rows, c_out)  # the same memory
    d_rows = np.zeros((kh, kw * c, c_out), grad.dtype)
    for arriving, beside in zip(grad, shifted_rows(x, kw, padding)):
        at_padded_width[:, : grad.shape[2]] = arriving
        for u in range(kh):
            start = u * full_width
            d_rows[u] += beside[start : start + n_rows].T @ g  # (kw * C, n_rows) @ (n_rows, C_out)
    d_weight = d_rows.reshape(kh, kw, c, c_out).transpose(3, 2, 0, 1)  # -> (C_out, C, kh, kw)
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # (C_out, C, kh, kw) -> (C, C_out, kh, kw)
    d_x = conv2d_last(grad, flipped, (kh - 1 - padding[0], kw - 1 - padding[1]))
    return d_x, d_weight, grad.sum(axis=(0, 1, 2))


out_last = conv2d_last(x.transpose(0, 2, 3, 1), weight, (1, 1)) + bias  # (N, C, H, W) -> (N, H, W, C)
np.testing.assert_allclose(out_last.transpose(0, 3, 1, 2), out, rtol=1e-10, atol=1e-12)  # and back
wanted = conv2d_backward(cotangent, x.shape, weight, table, stride=1, padding=1)
d_x, d_weight, d_bias = conv2d_last_backward(
    cotangent.transpose(0, 2, 3, 1), x.transpose(0, 2, 3, 1), weight, (1, 1)
)
for ours, theirs in zip((d_x.transpose(0, 3, 1, 2), d_weight, d_bias), wanted, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Layers
#
# A network needs four kinds of layers, each with `forward`, which keeps what backward will ask for, and
# `backward`, which turns the gradient of its output into that of its input. Those with parameters put
# their gradients into `grads`. First the convolution.


# %%
class Conv2d:
    """A convolution that keeps the size: (N, H, W, c_in) to (N, H, W, c_out), odd kernel_size."""

    def __init__(self, c_in, c_out, kernel_size, rng):
        scale = np.sqrt(2 / (c_in * kernel_size**2))  # He, as in lesson 6.5
        self.weight = scale * rng.normal(size=(c_out, c_in, kernel_size, kernel_size))
        self.bias = np.zeros(c_out)
        self.padding = (kernel_size // 2, kernel_size // 2)

    def forward(self, x):
        self.x = x
        return conv2d_last(x, self.weight, self.padding) + self.bias

    def backward(self, grad):
        d_x, *self.grads = conv2d_last_backward(grad, self.x, self.weight, self.padding)
        return d_x


class Linear:
    """Flattens (N, ...) to (N, n_in), then x @ weight.T + bias."""

    def __init__(self, n_in, n_out, rng):
        self.weight, self.bias = np.sqrt(1 / n_in) * rng.normal(size=(n_out, n_in)), np.zeros(n_out)

    def forward(self, x):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)  # (N, ...) -> (N, n_in)
        return self.x @ self.weight.T + self.bias  # (N, n_in) @ (n_in, n_out)

    def backward(self, grad):
        self.grads = [grad.T @ self.x, grad.sum(axis=0)]  # (n_out, N) @ (N, n_in)
        return (grad @ self.weight).reshape(self.shape)  # (N, n_out) @ (n_out, n_in) -> (N, ...)


# %% [markdown]
# ReLU passes a gradient where it passed a number. The pool hands its gradient to the winner of each 2×2
# window; a tie goes to the first in reading order, as in PyTorch.


# %%
class ReLU:
    def forward(self, x):
        self.passed = x > 0
        return x * self.passed

    def backward(self, grad):
        return grad * self.passed


class MaxPool2:
    """The maximum of each 2×2 window: (N, H, W, C) to (N, H / 2, W / 2, C), H and W even."""

    def forward(self, x):
        self.corners = [x[:, i::2, j::2] for i, j in np.ndindex(2, 2)]
        self.out = np.maximum(np.maximum(*self.corners[:2]), np.maximum(*self.corners[2:]))
        return self.out

    def backward(self, grad):
        n, height, width, c = grad.shape
        d_x = np.empty((n, 2 * height, 2 * width, c), grad.dtype)
        free = np.ones(grad.shape, dtype=bool)  # windows that have no winner yet
        for (i, j), corner in zip(np.ndindex(2, 2), self.corners):
            wins = free & (corner == self.out)
            d_x[:, i::2, j::2] = grad * wins
            free ^= wins
        return d_x


def training_step(layers, x, y, learning_rate):
    """One step of gradient descent on the mean cross-entropy of labels y (N,); returns the loss before it."""
    for layer in layers:
        x = layer.forward(x)
    shifted = x - x.max(axis=1, keepdims=True)  # (N, n_classes) logits
    log_total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = (log_total[:, 0] - shifted[np.arange(len(y)), y]).mean()
    grad = np.exp(shifted - log_total)
    grad[np.arange(len(y)), y] -= 1
    grad /= len(y)
    for layer in reversed(layers):
        grad = layer.backward(grad)
    for layer in layers:
        if hasattr(layer, "grads"):
            layer.weight -= learning_rate * layer.grads[0]
            layer.bias -= learning_rate * layer.grads[1]
    return loss


# %% [markdown]
# ## A network, and the same in PyTorch
#
# Two convolutions with pools between, one linear layer, ten classes of clothes. The PyTorch network gets
# the same weights; it flattens with channels last, so that its linear layer reads the same order.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)


# %%
class ChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)


def make_pair(dtype, rng):
    """Our layers and a PyTorch network with the same weights."""
    layers = [Conv2d(1, 8, 3, rng), ReLU(), MaxPool2(), Conv2d(8, 16, 3, rng), ReLU(), MaxPool2()]
    layers.append(Linear(16 * 7 * 7, 10, rng))
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(ChannelsLast(), nn.Flatten(), nn.Linear(16 * 7 * 7, 10)),
    )
    network = network.to(torch.float64 if dtype == np.float64 else torch.float32)
    ours = [layer for layer in layers if hasattr(layer, "weight")]
    theirs = [module for module in network if hasattr(module, "weight")]
    for layer, module in zip(ours, theirs, strict=True):
        layer.weight, layer.bias = layer.weight.astype(dtype), layer.bias.astype(dtype)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(layer.weight))
            module.bias.copy_(torch.from_numpy(layer.bias))
    return layers, network


def torch_step(network, optimizer, x, y):
    """`training_step` in PyTorch."""
    loss = F.cross_entropy(network(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# %% [markdown]
# First in float64, for a few steps: both losses must agree to many digits, or a gradient is wrong
# somewhere.

# %%
layers, network = make_pair(np.float64, np.random.default_rng(1))
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
losses, torch_losses = [], []
for step in range(20):
    batch = slice(50 * step, 50 * step + 50)
    x, y = train_images[batch].double(), train_labels[batch]
    losses.append(training_step(layers, x[..., None].numpy(), y.numpy(), 0.1))  # (N, H, W) -> (N, H, W, 1)
    torch_losses.append(torch_step(network, optimizer, x[:, None], y))  # (N, H, W) -> (N, 1, H, W)
largest = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses, strict=True))
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}, largest difference {largest:.1e}")
assert largest < 1e-8 < losses[-1] < losses[0]

# %% [markdown]
# Then in float32, to the end. Rounding differs between the two, and training magnifies it, now slowly,
# now in a leap (see *Try it*), so the losses part in late digits. What was learned must not. (In the
# right panel, equal losses stand at $10^{-9}$.)

# %%
n_epochs, batch_size, learning_rate = 3, 50, 0.05
layers, network = make_pair(np.float32, np.random.default_rng(1))
optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
losses, torch_losses = [], []
for _ in range(n_epochs):
    for batch in np.split(rng.permutation(len(train_images)), len(train_images) // batch_size):
        x, y = train_images[batch], train_labels[batch]
        losses.append(training_step(layers, x[..., None].numpy(), y.numpy(), np.float32(learning_rate)))
        torch_losses.append(torch_step(network, optimizer, x[:, None], y))  # (N, H, W) -> (N, 1, H, W)
    ours, theirs = np.mean(losses[-50:]), np.mean(torch_losses[-50:])
    print(f"step {len(losses):3d}   loss {ours:.4f}   PyTorch {theirs:.4f}")

logits = test_images[..., None].numpy()  # (1000, 28, 28) -> (1000, 28, 28, 1)
for layer in layers:
    logits = layer.forward(logits)
assert logits.dtype == np.float32
accuracy = np.mean(logits.argmax(axis=1) == test_labels.numpy())
with torch.no_grad():
    torch_accuracy = (network(test_images[:, None]).argmax(dim=1) == test_labels).float().mean().item()
print(f"test accuracy: NumPy {accuracy:.1%}, PyTorch {torch_accuracy:.1%}")
assert accuracy > 0.7 and abs(accuracy - torch_accuracy) <= 0.01
difference = np.abs(np.subtract(losses, torch_losses))
print(f"losses differ by {difference[:5].max():.1e} in five steps, by {difference.max():.1e} in all")
assert max(difference[:5].max(), difference[:10].mean()) < 1e-5 < difference.max() < 0.1
assert difference[-100:].mean() > 10 * difference[:10].mean()  # it grows

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, "-", color="C1", linewidth=3, alpha=0.5, label="NumPy")
left.plot(torch_losses, ":", color="C0", label="PyTorch")
left.set(xlabel="step", ylabel="loss (nats)", title="NumPy and PyTorch learn alike", ylim=0)
left.legend()
right.semilogy(np.maximum(difference, 1e-9), color="C1")
right.set(
    xlabel="step", ylabel="difference of the losses (nats)", title="They differ by rounding, which grows"
)
plt.show()

# %% [markdown]
# ## What to remember
#
# - Convolution is a matrix product over patches; its backward pass is two more.
# - The weights' gradient slides the arriving gradient over the input; the input's gradient slides the
#   flipped filter over the arriving gradient: a transposed convolution.
# - Copied forward, added backward: one slice for each weight, never pixel by pixel.
# - Fast means few copies: channels last, shifts as slices, one image in the cache at a time.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Leave out the flip in `conv2d_last_backward`. Which check notices first? Take out the checks that stop
#    you: does the network still learn?
# 2. Give ties in `MaxPool2` to all equal corners. How far apart are the float64 losses now, and why so
#    much?
# 3. Time `conv2d` and `conv2d_last` with three times as many channels. Which gains?
# 4. In float32, count at each step the first ReLU's decisions that differ in the two networks: first keep
#    `network[:2](x[:, None]).permute(0, 2, 3, 1).numpy(force=True) > 0`, then take both steps, and compare
#    with `layers[1].passed`. What happens where the difference of the losses leaps?
#
# ## Sources
#
# - K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document
#   processing", 2006: columns and one product.
# - V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4:
#   transposed convolution.
# - A. Vasudevan, A. Anderson, D. Gregg, "Parallel multi channel convolution using general matrix
#   multiplication", 2017: shifted products without columns.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the data (MIT, Zalando SE).
