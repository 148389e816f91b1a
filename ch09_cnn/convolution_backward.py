# %% [markdown]
# # 9.6 Convolution backward: three products and a flip
#
# A filter of nine weights looks at every patch of an image. If one output of the layer should have been
# larger, which of the nine weights has to change, and which pixels made the output what it was? The
# first question is asked in every training step of a convolutional network, and the second one in every
# layer but the first, since the layer below needs an answer. Both answers are convolutions again, and
# this is what a library computes when you call `loss.backward()`. The same backward pass, used forward,
# makes small maps larger in networks that draw images.
#
# **You will build** convolution as one matrix product, its three gradients, and a network that learns to
# tell clothes apart with NumPy alone. **You need** convolution (9.1), pooling (9.2), the gradients of a
# linear layer (6.4), and a training loop with `DataLoader` (4.4).

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Take three pixels $x = (1, 2, 3)$ and a filter $w = (4, 5)$, which has two places. At each place it
# multiplies what lies on top of each other and adds up. The loss gives each output a gradient, say
# $\partial L / \partial y = g = (1, 10)$:
#
# $$\begin{aligned}
#   y_0 &= w_0 x_0 + w_1 x_1 = 4 + 10 = 14, &
#     y_1 &= w_0 x_1 + w_1 x_2 = 8 + 15 = 23 \\
#   \frac{\partial L}{\partial w_0} &= g_0 x_0 + g_1 x_1 = 1 + 20 = 21, &
#     \frac{\partial L}{\partial w_1} &= g_0 x_1 + g_1 x_2 = 2 + 30 = 32 \\
#   \frac{\partial L}{\partial x_0} &= g_0 w_0 = 4, \quad
#     \frac{\partial L}{\partial x_1} = g_0 w_1 + g_1 w_0 = 45, &
#     \frac{\partial L}{\partial x_2} &= g_1 w_1 = 50
# \end{aligned}$$
#
# Read the second line as a convolution: $g$ slides over $x$. In the third line the weights come in the
# other order, $w_1$ before $w_0$, so the _flipped_ filter slides over $g$, with zeros on both sides of
# $g$ for the pixels at the ends.

# %%
pixels = np.array([1.0, 2, 3])
weights = np.array([4.0, 5])
arriving = np.array([1.0, 10])  # the gradient of the outputs
outputs = np.correlate(pixels, weights, mode="valid")
grad_weights = np.correlate(pixels, arriving, mode="valid")
grad_pixels = np.convolve(arriving, weights, mode="full")  # convolve flips, correlate does not (9.1)
print(f"outputs {outputs}, gradient of w {grad_weights}, of x {grad_pixels}")
assert outputs.tolist() == [14, 23]
assert grad_weights.tolist() == [21, 32]
assert grad_pixels.tolist() == [4, 45, 50]

# %% [markdown]
# ## Convolution as one matrix product
#
# Each output is the dot product of a filter with one patch of the image. If we write all patches below
# each other, as the rows of a table $P$, and all filters as the rows of a matrix $W$, one matrix product
# computes every output:
#
# $$Y = P\, W^\top + b .$$
#
# The table is known as *im2col* (image to columns), because in the first programs each patch was a
# column. `stride` and `padding` may be one number or a pair, for rows and columns.


# %%
def pair(setting):
    """A setting for rows and for columns: 2 means (2, 2)."""
    return setting if isinstance(setting, tuple) else (setting, setting)


def as_floats(array):
    """The array itself if it holds floats, else a float64 copy."""
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def columns(x, kernel_size, stride=1, padding=0):
    """All patches of x (N, C, H, W) for a filter of kernel_size: (N, H_out, W_out, C * kh * kw).

    Raises ValueError if no patch fits into the padded image, or a setting is too small.
    """
    kh, kw = pair(kernel_size)
    row_stride, column_stride = pair(stride)
    rows, cols = pair(padding)
    if min(row_stride, column_stride) < 1 or min(rows, cols) < 0:
        raise ValueError(f"the stride {stride} must be at least 1, the padding {padding} not negative")
    padded = np.pad(as_floats(x), ((0, 0), (0, 0), (rows, rows), (cols, cols)))
    if padded.shape[2] < kh or padded.shape[3] < kw:
        raise ValueError(f"a filter of {kh, kw} does not fit x of shape {x.shape} with padding {rows, cols}")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    windows = windows[:, :, ::row_stride, ::column_stride]  # (N, C, H_out, W_out, kh, kw)
    patches = windows.transpose(0, 2, 3, 1, 4, 5)  # -> (N, H_out, W_out, C, kh, kw)
    return patches.reshape(*patches.shape[:3], x.shape[1] * kh * kw)  # a copy: (N, H_out, W_out, C * kh * kw)


# %%
def conv2d(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation of x (N, C, H, W) with weight (C_out, C, kh, kw): (N, C_out, H_out, W_out).

    Raises ValueError if the channels or the bias (C_out,) do not match, or the filter does not fit.
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has shape {x.shape}, but the weight {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"the weight has shape {weight.shape}, but the bias {bias.shape}")
    table = columns(x, weight.shape[2:], stride, padding)  # (N, H_out, W_out, K), K = C * kh * kw
    flat_weight = weight.reshape(len(weight), -1)  # (C_out, C, kh, kw) -> (C_out, K)
    out = table @ flat_weight.T  # (N, H_out, W_out, K) @ (K, C_out) -> (N, H_out, W_out, C_out)
    if bias is not None:
        out = out + bias
    return out.transpose(0, 3, 1, 2)  # -> (N, C_out, H_out, W_out)


x = rng.normal(size=(2, 3, 8, 7))
weight = rng.normal(size=(5, 3, 3, 2))
bias = rng.normal(size=5)
x_tensor = torch.from_numpy(x)
weight_tensor = torch.from_numpy(weight)
bias_tensor = torch.from_numpy(bias)
print(f"{x.size} pixels became a table of {columns(x, (3, 2), padding=1).size} numbers")
np.testing.assert_allclose(
    conv2d(x, weight, bias, stride=(2, 1), padding=1),
    F.conv2d(x_tensor, weight_tensor, bias_tensor, stride=(2, 1), padding=1),
    rtol=1e-10,
    atol=1e-12,
)

# %% [markdown]
# Each pixel stands in the table once for every weight that meets it, so the product costs memory.
#
# ## Three gradients
#
# A matrix product with a bias is a linear layer, and its gradients are known from lesson 6.4. Let $G$ be
# the gradient of $Y$, one row for each place of the filter:
#
# $$\frac{\partial L}{\partial W} = G^\top P, \qquad
#   \frac{\partial L}{\partial b} = \sum_{\text{places}} G, \qquad
#   \frac{\partial L}{\partial P} = G\, W .$$
#
# One step is new, because we want the gradient of the image and not of the table. A pixel was copied
# into several patches, and what was copied forward is added backward (6.4). `columns_backward` does it
# weight by weight: the pixels that met the weight in row $u$ and column $v$ of the filter are all
# different, and together they are one slice of the image.


# %%
def columns_backward(grad_table, x_shape, kernel_size, stride=1, padding=0):
    """The gradient of x, of shape x_shape, from that of its `columns` (N, H_out, W_out, C * kh * kw)."""
    n, c, height, width = x_shape
    _, h_out, w_out, _ = grad_table.shape
    kh, kw = pair(kernel_size)
    row_stride, column_stride = pair(stride)
    rows, cols = pair(padding)
    grad_patches = grad_table.reshape(n, h_out, w_out, c, kh, kw)  # C * kh * kw -> C, kh, kw
    grad_patches = grad_patches.transpose(0, 3, 1, 2, 4, 5)  # -> (N, C, H_out, W_out, kh, kw)
    grad_padded = np.zeros((n, c, height + 2 * rows, width + 2 * cols), grad_table.dtype)
    for u in range(kh):
        for v in range(kw):
            below = slice(u, u + row_stride * h_out, row_stride)  # the rows that met row u of the filter
            beside = slice(v, v + column_stride * w_out, column_stride)
            grad_padded[:, :, below, beside] += grad_patches[..., u, v]
    return grad_padded[:, :, rows : rows + height, cols : cols + width]


def conv2d_backward(grad_out, x, weight, stride=1, padding=0):
    """Gradients of x, weight and bias from grad_out, that of `conv2d`'s output (N, C_out, H_out, W_out).

    Raises ValueError if grad_out has another shape than that output.
    """
    c_out, c, kh, kw = weight.shape
    table = columns(x, (kh, kw), stride, padding)  # (N, H_out, W_out, K), K = C * kh * kw
    n, h_out, w_out, k = table.shape
    if grad_out.shape != (n, c_out, h_out, w_out):
        raise ValueError(f"grad_out has shape {grad_out.shape}, but the output {(n, c_out, h_out, w_out)}")
    places = n * h_out * w_out
    g = as_floats(grad_out).transpose(0, 2, 3, 1)  # (N, C_out, H', W') -> (N, H', W', C_out)
    g = g.reshape(places, c_out)  # -> (M, C_out), M places
    grad_weight = g.T @ table.reshape(places, k)  # (C_out, M) @ (M, K) -> (C_out, K)
    grad_bias = g.sum(axis=0)  # (C_out,)
    grad_table = g @ weight.reshape(c_out, k)  # (M, C_out) @ (C_out, K) -> (M, K)
    grad_x = columns_backward(grad_table.reshape(table.shape), x.shape, (kh, kw), stride, padding)
    return grad_x, grad_weight.reshape(weight.shape), grad_bias


# %% [markdown]
# Does autograd come to the same three gradients, for several strides and paddings? With a stride of 3
# the filter does not reach the last column, so pixels there must get a gradient of zero.

# %%
largest = 0.0
for stride in (1, 2, 3, (2, 1)):
    for padding in (0, 1, (0, 2)):
        tensors = [torch.tensor(array, requires_grad=True) for array in (x, weight, bias)]
        torch_out = F.conv2d(*tensors, stride, padding)
        grad_out = rng.normal(size=tuple(torch_out.shape))
        expected = torch.autograd.grad(torch_out, tensors, torch.from_numpy(grad_out))
        for ours, theirs in zip(conv2d_backward(grad_out, x, weight, stride, padding), expected, strict=True):
            assert ours.shape == tuple(theirs.shape)
            largest = max(largest, np.abs(ours - theirs.numpy()).max())
print(f"largest difference from autograd: {largest:.1e}")
assert largest < 1e-11, "the three gradients are those of autograd"

# %% [markdown]
# ## The flip
#
# On paper the gradient of the image came from sliding the flipped filter over $g$. In two dimensions
# both axes of the filter are flipped, and its two channel axes change places, because the gradient goes
# from the outputs' channels to the inputs'. For a filter of $k$ pixels and a padding of $p$, the
# gradient is padded by $k - 1 - p$. If the filter moved by a stride of $s$, its places were $s$ pixels
# apart, so $s - 1$ zeros go between the entries of $g$.
#
# This operation has a name of its own, because networks also use it forward, to turn a small map into a
# larger one: the *transposed convolution*. A convolution is a matrix (9.1), and this is the convolution
# whose matrix is the transpose.


# %%
def transposed_conv2d(grad_out, weight, stride=1, padding=0):
    """What F.conv_transpose2d(grad_out, weight, None, stride, padding) computes, by an ordinary `conv2d`.

    grad_out: (N, C_out, H', W'), weight: (C_out, C, kh, kw); returns (N, C, s (H' - 1) + kh - 2 p, ...).
    Raises ValueError if the channels do not match, nothing is left inside the padding, or a setting is too
    small.
    """
    n, c_out, height, width = grad_out.shape
    kh, kw = weight.shape[2:]
    row_stride, column_stride = pair(stride)
    rows, cols = pair(padding)
    if min(row_stride, column_stride) < 1 or min(rows, cols) < 0:
        raise ValueError(f"the stride {stride} must be at least 1, the padding {padding} not negative")
    spread_shape = (n, c_out, row_stride * (height - 1) + 1, column_stride * (width - 1) + 1)
    spread = np.zeros(spread_shape, grad_out.dtype)
    spread[:, :, ::row_stride, ::column_stride] = grad_out  # zeros between the entries
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # (C_out, C, kh, kw) -> (C, C_out, kh, kw)
    out = conv2d(spread, flipped, padding=(kh - 1, kw - 1))
    if out.shape[2] <= 2 * rows or out.shape[3] <= 2 * cols:
        raise ValueError(f"padding {rows, cols} leaves nothing of a map of shape {out.shape}")
    return out[:, :, rows : out.shape[2] - rows, cols : out.shape[3] - cols]


grad_out = rng.normal(size=conv2d(x, weight, bias, padding=1).shape)
grad_x, _, _ = conv2d_backward(grad_out, x, weight, padding=1)
np.testing.assert_allclose(transposed_conv2d(grad_out, weight, padding=1), grad_x, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(
    transposed_conv2d(grad_out, weight, stride=2, padding=1),
    F.conv_transpose2d(torch.from_numpy(grad_out), weight_tensor, stride=2, padding=1),
    rtol=1e-10,
    atol=1e-12,
)
print(
    f"stride 2: a map of {grad_out.shape[2:]} becomes one of "
    f"{transposed_conv2d(grad_out, weight, stride=2, padding=1).shape[2:]}"
)

# %% [markdown]
# Now the question of the opening, for pixels. A single output three layers up is wrong. Through three
# convolutions with $3\times3$ filters its gradient goes back to the image. By lesson 9.1 such an output
# sees $3$, $5$ and $7$ pixels in each direction, and so the gradient should reach $9$, $25$ and $49$
# pixels.

# %%
one_output = np.zeros((1, 1, 15, 15))
one_output[0, 0, 7, 7] = 1
gradient_maps = [one_output]
for _ in range(3):
    gradient_maps.append(transposed_conv2d(gradient_maps[-1], rng.normal(size=(1, 1, 3, 3)), padding=1))
touched = [int(np.count_nonzero(gradient_map)) for gradient_map in gradient_maps]
print(f"pixels with a gradient, layer by layer: {touched}")

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
titles = ("at one output", "one layer back", "two layers back", "three layers back")
for ax, title, gradient_map in zip(axes, titles, gradient_maps):
    limit = np.abs(gradient_map).max()
    ax.imshow(gradient_map[0, 0], cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="column", ylabel="row")
fig.suptitle("Gradient of one output on its way back through three layers (red: negative, blue: positive)")
plt.show()

# %% [markdown]
# It does: every step back adds a ring of one pixel. In the second panel one sees the first filter itself,
# flipped, and further back the gradients are sums over several paths. Pixels outside the square have no
# influence on this output, and so no gradient from it reaches them.
#
# ## Layers
#
# A network needs four kinds of layers. Each has a `forward` that keeps what backward will need and a
# `backward` that turns the gradient of its output into that of its input. The two with parameters leave
# their gradients in `grad_weight` and `grad_bias`.


# %%
class Conv2d:
    """A convolution that keeps the map's size: (N, c_in, H, W) to (N, c_out, H, W), odd kernel_size."""

    def __init__(self, c_in, c_out, kernel_size, rng):
        scale = np.sqrt(2 / (c_in * kernel_size**2))  # He, as in lesson 6.5
        self.weight = scale * rng.normal(size=(c_out, c_in, kernel_size, kernel_size))
        self.bias = np.zeros(c_out)
        self.padding = kernel_size // 2

    def forward(self, x):
        self.x = x
        return conv2d(x, self.weight, self.bias, padding=self.padding)

    def backward(self, grad_out):
        grad_x, self.grad_weight, self.grad_bias = conv2d_backward(
            grad_out, self.x, self.weight, padding=self.padding
        )
        return grad_x


class Linear:
    """Flattens (N, ...) to (N, n_in), then x @ weight.T + bias."""

    def __init__(self, n_in, n_out, rng):
        self.weight = np.sqrt(1 / n_in) * rng.normal(size=(n_out, n_in))
        self.bias = np.zeros(n_out)

    def forward(self, x):
        self.shape = x.shape
        self.x = x.reshape(len(x), self.weight.shape[1])  # (N, ...) -> (N, n_in)
        return self.x @ self.weight.T + self.bias  # (N, n_in) @ (n_in, n_out) -> (N, n_out)

    def backward(self, grad_out):
        self.grad_weight = grad_out.T @ self.x  # (n_out, N) @ (N, n_in) -> (n_out, n_in)
        self.grad_bias = grad_out.sum(axis=0)
        return (grad_out @ self.weight).reshape(self.shape)  # (N, n_out) @ (n_out, n_in) -> (N, ...)


class ReLU:
    def forward(self, x):
        self.passed = x > 0
        return np.maximum(x, 0)

    def backward(self, grad_out):
        return grad_out * self.passed


# %% [markdown]
# The pool gives the whole gradient of a window to the pixel that won it, and a tie goes to the first
# pixel in reading order (9.2). A last row or column that fills no window is left out, as PyTorch does,
# and gets no gradient.


# %%
class MaxPool2:
    """The maximum of each 2×2 window: (N, C, H, W) to (N, C, H // 2, W // 2).

    A window with a NaN in it gives NaN, and the first NaN gets the gradient (in PyTorch the last).
    """

    def forward(self, x):
        n, c, height, width = x.shape
        h, w = height // 2, width // 2
        self.shape = x.shape
        windows = x[:, :, : 2 * h, : 2 * w].reshape(n, c, h, 2, w, 2)  # rows and columns in pairs
        windows = windows.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h, w, 4)  # one window in each row of four
        self.winners = windows.argmax(axis=4)[..., None]  # (N, C, h, w, 1): the first of equals
        return np.take_along_axis(windows, self.winners, axis=4)[..., 0]  # (N, C, h, w)

    def backward(self, grad_out):
        n, c, h, w = grad_out.shape
        grad_windows = np.zeros((n, c, h, w, 4), grad_out.dtype)
        np.put_along_axis(grad_windows, self.winners, grad_out[..., None], axis=4)
        grad_windows = grad_windows.reshape(n, c, h, w, 2, 2)  # four in a row -> 2 × 2
        grad_windows = grad_windows.transpose(0, 1, 2, 4, 3, 5)  # -> (N, C, h, 2, w, 2)
        grad_x = np.zeros(self.shape, grad_out.dtype)
        grad_x[:, :, : 2 * h, : 2 * w] = grad_windows.reshape(n, c, 2 * h, 2 * w)
        return grad_x


def training_step(layers, x, y, learning_rate):
    """One step of gradient descent on the mean cross-entropy of labels y (N,); returns the loss before it."""
    for layer in layers:
        x = layer.forward(x)
    rows = np.arange(len(y))
    shifted = x - x.max(axis=1, keepdims=True)  # (N, n_classes) logits
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_probs[rows, y].mean()
    grad = np.exp(log_probs)  # probability minus truth, over N (6.4)
    grad[rows, y] -= 1
    grad /= len(y)
    for layer in reversed(layers):
        grad = layer.backward(grad)
    for layer in layers:
        if hasattr(layer, "weight"):
            layer.weight -= learning_rate * layer.grad_weight
            layer.bias -= learning_rate * layer.grad_bias
    return loss


# %% [markdown]
# ## The same in PyTorch
#
# Two convolutions, each with ReLU and a pool behind it, and a linear layer are to tell ten kinds of
# clothes apart. The PyTorch network gets the same weights and the same batches. First we train both in
# float64, for one pass over a thousand images, because if a gradient were wrong anywhere, the two losses
# would part at once.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)


# %%
def make_pair(dtype, rng):
    """Our layers, and a PyTorch network with the same weights; dtype: torch.float32 or torch.float64."""
    layers = [
        Conv2d(1, 8, 3, rng),
        ReLU(),
        MaxPool2(),
        Conv2d(8, 16, 3, rng),
        ReLU(),
        MaxPool2(),
        Linear(16 * 7 * 7, 10, rng),
    ]
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 10),
    )
    network = network.to(dtype)
    ours = [layer for layer in layers if hasattr(layer, "weight")]
    theirs = [module for module in network if hasattr(module, "weight")]
    for layer, module in zip(ours, theirs, strict=True):
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(layer.weight))
            module.bias.copy_(torch.from_numpy(layer.bias))
        layer.weight = module.weight.detach().numpy().copy()  # in the network's dtype
        layer.bias = module.bias.detach().numpy().copy()
    return layers, network


# %%
def torch_step(network, optimizer, x, y):
    """`training_step` in PyTorch."""
    loss = F.cross_entropy(network(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def train_pair(dtype, n_images, n_epochs, learning_rate, seed):
    """Train both networks on the same batches; returns (layers, network, our losses, PyTorch's losses)."""
    layers, network = make_pair(dtype, np.random.default_rng(seed))
    inputs = train_images[:n_images, None].to(dtype)  # (N, 28, 28) -> (N, 1, 28, 28)
    dataset = TensorDataset(inputs, train_labels[:n_images])
    loader = DataLoader(dataset, 50, shuffle=True, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
    losses = []
    torch_losses = []
    network.train()
    for epoch in range(n_epochs):
        for x, y in loader:
            losses.append(training_step(layers, x.numpy(), y.numpy(), learning_rate))
            torch_losses.append(torch_step(network, optimizer, x, y))
        recent = np.mean(losses[-len(loader) :])
        torch_recent = np.mean(torch_losses[-len(loader) :])
        print(f"epoch {epoch + 1}   loss {recent:.4f}   PyTorch {torch_recent:.4f}")
    network.eval()
    return layers, network, np.array(losses), np.array(torch_losses)


_, _, losses64, torch_losses64 = train_pair(
    torch.float64, n_images=1000, n_epochs=1, learning_rate=0.1, seed=1
)
largest = np.abs(losses64 - torch_losses64).max()
print(f"float64: loss {losses64[0]:.3f} to {losses64[-1]:.3f}, largest difference {largest:.1e}")
assert largest < 1e-8, "in float64 NumPy and PyTorch take the same steps"

# %% [markdown]
# ## Training with NumPy
#
# Now we train both in float32, as networks are trained in practice, on all training images. The two
# programs add up in different orders, so their rounding differs. Will the difference stay as small as it is
# at the beginning? And does it matter for what the networks have learned?

# %%
layers, network, losses, torch_losses = train_pair(
    torch.float32, n_images=5000, n_epochs=3, learning_rate=0.05, seed=1
)


def predict(layers, images):
    """Logits (N, 10) of images (N, 1, 28, 28)."""
    for layer in layers:
        images = layer.forward(images)
    return images


test_inputs = test_images[:, None]  # (1000, 28, 28) -> (1000, 1, 28, 28)
predictions = predict(layers, test_inputs.numpy()).argmax(axis=1)
with torch.no_grad():
    torch_predictions = network(test_inputs).argmax(dim=1).numpy()
accuracy = np.mean(predictions == test_labels.numpy())
torch_accuracy = np.mean(torch_predictions == test_labels.numpy())
same_answer = np.mean(predictions == torch_predictions)
difference = np.abs(losses - torch_losses)
print(f"test accuracy: NumPy {accuracy:.1%}, PyTorch {torch_accuracy:.1%}, the same answer {same_answer:.1%}")
print(f"the losses differ by {difference[:5].max():.1e} in five steps, by {difference.max():.1e} at most")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, "-", color="C1", linewidth=3, alpha=0.5, label="NumPy")
left.plot(torch_losses, ":", color="C0", label="PyTorch")
left.set(xlabel="step", ylabel="training loss (nats)", title="Loss of each batch", ylim=0)
left.legend()
right.semilogy(np.maximum(difference, 1e-9), color="C1")
right.set(xlabel="step", ylabel="difference of the losses (nats)")
right.set_title("NumPy's loss minus PyTorch's (equal: $10^{-9}$)")
plt.show()

# %% [markdown]
# In the left panel one curve hides the other. The right panel shows that for about a hundred steps the
# losses differ by no more than float32's rounding. Then the difference grows by a factor of thousands
# within a few dozen steps and stays there. A sudden growth is what one should see if somewhere a ReLU
# or a pool, with two nearly equal numbers before it, decided differently in the two programs; the third
# exercise below lets you count them. The test images say that it does not matter here, because both
# networks are right about equally often and give the same answer for nearly every image. With three
# other seeds the difference grew in the same way.
#
# What have the filters learned? Below are the eight filters of the first layer and, under each, its map
# for one test image, after the ReLU.

# %%
image = test_inputs[:1].numpy()  # (1, 1, 28, 28)
filters = layers[0].weight[:, 0]  # (8, 1, 3, 3) -> (8, 3, 3)
maps = layers[1].forward(layers[0].forward(image))[0]  # (8, 28, 28)
filter_sums = filters.sum(axis=(1, 2))  # (8,)

fig, axes = plt.subplots(2, 9, figsize=(14, 3.6), layout="constrained")
axes[0, 0].axis("off")
axes[1, 0].imshow(image[0, 0], cmap="gray")
axes[1, 0].set(title="the image", xticks=[], yticks=[])
limit = np.abs(filters).max()
for i in range(8):
    axes[0, i + 1].imshow(filters[i], cmap="RdBu", vmin=-limit, vmax=limit)
    axes[0, i + 1].set(title=f"sum {filter_sums[i]:.1f}", xticks=[], yticks=[])
    axes[1, i + 1].imshow(maps[i], cmap="viridis", vmin=0, vmax=maps.max())
    axes[1, i + 1].set(xticks=[], yticks=[])
fig.suptitle("The first layer's filters (red: negative, blue: positive) and their maps")
plt.show()

# %% [markdown]
# The filters with the largest sums show the whole boot, because on an evenly grey area a filter answers
# with the grey value times its sum. Those with a sum near zero or below it are silent there, and answer
# where the grey changes, at the upper edge, the sole or the laces, or do not answer at all.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert touched == [1, 9, 25, 49], "the gradient spreads by one pixel per layer in each direction"
assert losses64[-10:].mean() < losses64[:10].mean() - 0.5, "the float64 network learns"
assert accuracy > 0.7, "gradients by hand train a network to a useful accuracy"
assert abs(accuracy - torch_accuracy) < 0.01, "NumPy and PyTorch are right about equally often"
assert same_answer > 0.98, "NumPy and PyTorch give the same answer for nearly every image"
assert difference[:50].max() < 1e-5, "at first the losses differ by rounding only"
assert difference[-100:].mean() > 100 * difference[:50].mean(), "the difference of the losses grows"
brightness = maps[:, image[0, 0] > 0.3].mean(axis=1)  # (8,): each map's mean over the boot
assert np.corrcoef(filter_sums, brightness)[0, 1] > 0.7, "filters with larger sums show more of the boot"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It shows what makes a convolution fast, which the lessons of chapter 10 use
# when they store images with channels last.
#
# ### The same, faster
#
# The table of patches is expensive, because for a $3\times3$ filter it is nine times as large as the
# image, and all of it is written to memory and read again. The fast form copies three times in place of
# nine, in three steps:
#
# 1. It stores the *channels last*, as $(N, H, W, C)$. Then the padded image is a list of pixels, each a
#    row of $C$ numbers, and the pixel to the right is the next row.
# 2. It writes only neighbours in a row side by side: in `shifted_rows`, row $i$ holds the pixels $i$,
#    $i + 1$, …, as many as the filter is wide. The pixel below is a whole image row further down in the
#    same list, so each row of the filter takes a slice of the list, without a copy, and one matrix
#    product.
# 3. It takes one image at a time, small enough for the processor's cache.
#
# The price: the code has to lay out its memory by hand, it only knows a stride of one, and where the
# filter would reach over the end of a row into the next one it computes numbers that are thrown away.


# %%
def shifted_rows(x, kw, padding):
    """For each image of x (N, H, W, C) its padded pixels, in rows of kw neighbours.

    padding: (rows, columns). Yields (H_padded * W_padded, kw * C), each time the same array, overwritten.
    """
    _, height, width, c = x.shape
    full_height = height + 2 * padding[0]
    full_width = width + 2 * padding[1]
    n_pixels = full_height * full_width
    pixels = np.zeros((n_pixels + kw - 1, c), x.dtype)  # a list, with a few more for the last neighbours
    padded = pixels[:n_pixels].reshape(full_height, full_width, c)  # the same memory, as an image
    inside = padded[padding[0] : padding[0] + height, padding[1] : padding[1] + width]
    neighbours = np.empty((n_pixels, kw * c), x.dtype)
    for image in x:
        inside[:] = image
        for v in range(kw):
            neighbours[:, v * c : (v + 1) * c] = pixels[v : v + n_pixels]
        yield neighbours


# %%
def conv2d_last(x, weight, padding=0):
    """`conv2d` with stride 1 and channels last: x (N, H, W, C), weight (C_out, C, kh, kw).

    Returns (N, H_out, W_out, C_out). Raises ValueError if the channels do not match or no filter fits.
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[3] != weight.shape[1]:
        raise ValueError(f"x has shape {x.shape} (channels last), but the weight {weight.shape}")
    padding = pair(padding)
    if min(padding) < 0:
        raise ValueError(f"the padding {padding} must not be negative")
    n, height, width, c = x.shape
    c_out, _, kh, kw = weight.shape
    full_width = width + 2 * padding[1]
    h_out = height + 2 * padding[0] - kh + 1
    w_out = full_width - kw + 1
    if min(h_out, w_out) < 1:
        raise ValueError(f"a filter of {kh, kw} does not fit x of shape {x.shape} with padding {padding}")
    x = as_floats(x)
    filter_rows = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))  # (kh, kw, C, C_out)
    filter_rows = filter_rows.reshape(kh, kw * c, c_out)  # -> (kh, kw * C, C_out)
    dtype = np.result_type(x, weight)
    out = np.empty((n, h_out, w_out, c_out), dtype)
    n_rows = h_out * full_width  # with the places at the ends of rows that are thrown away
    total = np.empty((n_rows, c_out), dtype)
    part = np.empty((n_rows, c_out), dtype)
    for target, neighbours in zip(out, shifted_rows(x, kw, padding)):
        np.matmul(neighbours[:n_rows], filter_rows[0], out=total)  # (n_rows, kw * C) @ (kw * C, C_out)
        for u in range(1, kh):
            start = u * full_width  # u image rows further down
            total += np.matmul(neighbours[start : start + n_rows], filter_rows[u], out=part)  # same shapes
        target[:] = total.reshape(h_out, full_width, c_out)[:, :w_out]  # -> (H_out, W_padded, C_out)
    return out


# %% [markdown]
# Its backward pass is made of the same parts. The gradient of the image is `conv2d_last` on the flipped
# filter, and that of the weights multiplies the rows of neighbours with the arriving gradient, laid out
# at the padded width with zeros in the places that were thrown away.


# %%
def conv2d_last_backward(grad_out, x, weight, padding=0):
    """Gradients of x, weight and bias for `conv2d_last`; grad_out: (N, H_out, W_out, C_out).

    Raises ValueError if the padding is not smaller than the filter.
    """
    padding = pair(padding)
    c_out, c, kh, kw = weight.shape
    if padding[0] >= kh or padding[1] >= kw:
        raise ValueError(f"padding {padding} must be smaller than the filter {kh, kw}")
    x = as_floats(x)
    grad_out = as_floats(grad_out)
    _, h_out, w_out, _ = grad_out.shape
    full_width = x.shape[2] + 2 * padding[1]
    n_rows = h_out * full_width
    grad_padded = np.zeros((h_out, full_width, c_out), grad_out.dtype)
    g = grad_padded.reshape(n_rows, c_out)  # the same memory
    grad_rows = np.zeros((kh, kw * c, c_out), np.result_type(grad_out, x))
    for arriving, neighbours in zip(grad_out, shifted_rows(x, kw, padding)):
        grad_padded[:, :w_out] = arriving
        for u in range(kh):
            start = u * full_width
            grad_rows[u] += neighbours[start : start + n_rows].T @ g  # (kw * C, n_rows) @ (n_rows, C_out)
    grad_weight = grad_rows.reshape(kh, kw, c, c_out).transpose(3, 2, 0, 1)  # -> (C_out, C, kh, kw)
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # (C_out, C, kh, kw) -> (C, C_out, kh, kw)
    grad_x = conv2d_last(grad_out, flipped, (kh - 1 - padding[0], kw - 1 - padding[1]))
    return grad_x, grad_weight, grad_out.sum(axis=(0, 1, 2))


# %%
def milliseconds(f, n_rounds=5):
    """Shortest time of a call of f, which keeps out whatever else the machine is doing."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def plain_backward():
    conv2d(large_x, large_weight, padding=1)
    return conv2d_backward(large_grad, large_x, large_weight, padding=1)


def fast_backward():
    conv2d_last(x_last, large_weight, padding=1)
    return conv2d_last_backward(grad_last, x_last, large_weight, padding=1)


large_x = rng.normal(size=(32, 16, 28, 28)).astype(np.float32)
large_weight = rng.normal(size=(32, 16, 3, 3)).astype(np.float32)
large_grad = rng.normal(size=(32, 32, 28, 28)).astype(np.float32)
x_last = np.ascontiguousarray(large_x.transpose(0, 2, 3, 1))  # (N, C, H, W) -> (N, H, W, C)
grad_last = np.ascontiguousarray(large_grad.transpose(0, 2, 3, 1))
fast_out = conv2d_last(x_last, large_weight, padding=1).transpose(0, 3, 1, 2)  # -> (N, C_out, H, W)
np.testing.assert_allclose(fast_out, conv2d(large_x, large_weight, padding=1), atol=1e-4)  # float32
plain_grads = plain_backward()
fast_grads = fast_backward()
np.testing.assert_allclose(fast_grads[0].transpose(0, 3, 1, 2), plain_grads[0], atol=1e-3)
np.testing.assert_allclose(fast_grads[1], plain_grads[1], atol=0.05)  # sums of 25,088 products
np.testing.assert_allclose(fast_grads[2], plain_grads[2], atol=0.05)

timings = {
    "forward": (
        lambda: conv2d(large_x, large_weight, padding=1),
        lambda: conv2d_last(x_last, large_weight, padding=1),
    ),
    "with backward": (plain_backward, fast_backward),
}
print(f"{'':20s}{'plain (ms)':>12s}{'fast (ms)':>12s}")
for name, (plain, fast) in timings.items():
    print(f"{name:20s}{milliseconds(plain):12.1f}{milliseconds(fast):12.1f}")

# %% [markdown]
# Both give the same numbers but for rounding. The fast form saves a good part of the time, more with the
# backward pass, where the plain one makes the table again. Libraries go further in this direction:
# PyTorch also runs fastest on many processors if images are stored with channels last.
#
# ## What to remember
#
# - Convolution is a matrix product of patches and filters, so its backward pass is two more products.
# - The gradient of the filter slides the arriving gradient over the image. The gradient of the image
#   slides the flipped filter over the arriving gradient, which is a transposed convolution.
# - A pixel that was copied into several patches gets the sum of their gradients.
# - In a max pool only the winner of each window gets a gradient.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Leave out the flip in `transposed_conv2d`, so that it says `weight.transpose(1, 0, 2, 3)`. Which
#    check stops the lesson, and for which filters would it have passed all the same?
# 2. Let the pool give ties to the last pixel of a window: in `MaxPool2.forward` put `(3 - windows[...,
#    ::-1].argmax(axis=4))` in place of `windows.argmax(axis=4)`. Will the float64 losses still agree
#    with PyTorch's? Think of where in these images the pixels of a window tie, and of what the filter
#    sees there.
# 3. From a blank cell at the end: take a float32 pair from `make_pair` and train both networks step by
#    step, as `train_pair` does. Before each step count the decisions of the first ReLU that differ,
#    `network[0](x) > 0` against `layers[0].forward(x) > 0`. At which step does the first one differ?
#    Compare that step with the one at which the difference of the losses grows in the figure.
#
# ## Sources
#
# - K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document
#   processing", 2006: the table of patches and one product. Reproduced: "the three gradients are".
# - V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4:
#   transposed convolution. Reproduced: test_transposed_convolution_matches_pytorch.
# - A. Vasudevan, A. Anderson, D. Gregg, "Parallel multi channel convolution using general matrix
#   multiplication", 2017: shifted products without the table.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the data (MIT, Zalando SE).
