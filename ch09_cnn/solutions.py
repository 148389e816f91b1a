# %% [markdown]
# # 9 Solutions: convolutions, blocks and borrowed networks
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different, and if the
# check says that it is done, it is right.

# %%
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## 1 Sizes and receptive fields
#
# A side of $n$ becomes $\lfloor (n + 2p - k) / s \rfloor + 1$. So the maps have sides of $32$, $16$,
# $\lfloor 13 / 2 \rfloor + 1 = 7$ and $7$. Layer 3 has $32$ filters of $16 \cdot 9$ weights and a bias
# each, and every weight meets every one of the $7 \cdot 7$ places. The receptive field grows by $k - 1$
# times the product of all strides before a layer: $1 + 4 \cdot 1 + 1 \cdot 1 + 2 \cdot 2 + 2 \cdot 4 = 18$.


# %%
def sizes_by_hand():
    """The sides of the maps, the cost of layer 3, and the receptive field after layer 4 (pixels)."""
    return {
        "side 1": 32,
        "side 2": 16,
        "side 3": 7,
        "side 4": 7,
        "parameters 3": 32 * (16 * 9 + 1),
        "multiplications 3": 7 * 7 * 32 * 16 * 9,
        "receptive field": 18,
    }


# %% [markdown]
# ## 2 A convolution with holes
#
# A kernel of $k$ weights with a dilation of $d$ spans $d(k - 1) + 1$ pixels, and that number takes the
# place of $k$ in the formula of the output's size. The sum over $c$, $a$ and $b$ is a product of the filter
# with a strided slice of the image.


# %%
def dilated_loops(x, w, stride, dilation):
    """The map (F, H', W') of image x (C, H, W) under filters w (F, C, k, k); in float64."""
    n_filters, _, k, _ = w.shape
    span = dilation * (k - 1) + 1
    height = (x.shape[1] - span) // stride + 1
    width = (x.shape[2] - span) // stride + 1
    if height < 1 or width < 1:
        raise ValueError(f"a kernel of {span} pixels does not fit into an image of {x.shape}")
    out = np.zeros((n_filters, height, width))
    for f in range(n_filters):
        for i in range(height):
            for j in range(width):
                top, left = i * stride, j * stride
                window = x[:, top : top + span : dilation, left : left + span : dilation]  # (C, k, k)
                out[f, i, j] = np.sum(w[f] * window)
    return out


# %% [markdown]
# ## 3 A convolution as one product
#
# Each row of the table is a window laid flat, in the order in which a filter is laid flat by `reshape`. So
# the product of the table with the flat filters has a row for each place and a column for each filter. The
# map wants the filters first, so the product is transposed before it gets its rows and columns back.


# %%
def conv_as_product(x, w, stride):
    """(the table (H'·W', C·k·k), the map (F, H', W')) of image x (C, H, W) and filters w (F, C, k, k)."""
    n_filters, _, k, _ = w.shape
    height = (x.shape[1] - k) // stride + 1
    width = (x.shape[2] - k) // stride + 1
    rows = []
    for i in range(height):
        for j in range(width):
            window = x[:, i * stride : i * stride + k, j * stride : j * stride + k]  # (C, k, k)
            rows.append(window.reshape(-1))
    table = np.stack(rows)  # (H'·W', C·k·k)
    product = table @ w.reshape(n_filters, -1).T  # (H'·W', C·k·k) @ (C·k·k, F) -> (H'·W', F)
    return table, product.T.reshape(n_filters, height, width)


# %% [markdown]
# ## 4 Back through a convolution
#
# For one position $(a, b)$ of the kernel the convolution adds $w_{ab}\, x_{i+a,\,j+b}$ to $y_{ij}$: a linear
# layer between channels and filters, at every place, on a shifted image. So its backward pass is that of a
# linear layer (6.2). The weight was used at every place of every image and sums over them, and an input
# pixel was used by every filter and by up to $k^2$ windows and adds what comes from each.


# %%
def conv_backward(x, w, grad_y):
    """(dL/dx (B, C, H, W), dL/dw (F, C, k, k)) from x, w and dL/dy (B, F, H', W')."""
    grad_x = np.zeros(x.shape)
    grad_w = np.zeros(w.shape)
    height, width = grad_y.shape[2:]
    for a in range(w.shape[2]):
        for b in range(w.shape[3]):
            window = x[:, :, a : a + height, b : b + width]  # (B, C, H', W')
            grad_w[:, :, a, b] = np.einsum("bfij,bcij->fc", grad_y, window)
            grad_x[:, :, a : a + height, b : b + width] += np.einsum("bfij,fc->bcij", grad_y, w[:, :, a, b])
    return grad_x, grad_w


# %% [markdown]
# ## 5 An edge detector
#
# Repeating the outermost pixels makes the image flat beyond its border, so there is nothing to detect
# there. Bytes are turned into floats first, because `0 - 200` in bytes is 56.


# %%
def edges(image):
    """(growth to the right, growth downwards, strength), all (H, W) floats, of image (H, W)."""
    right_way = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    padded = np.pad(np.asarray(image, dtype=float), 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))  # (H, W, 3, 3)
    across = (windows * right_way).sum(axis=(2, 3))
    down = (windows * right_way.T).sum(axis=(2, 3))
    return across, down, np.hypot(across, down)


# %% [markdown]
# ## 6 Back through max pooling
#
# With each window laid flat, `argmax` gives the first of the largest numbers, also if all of them are
# $-\infty$. `put_along_axis` writes the gradient there. The odd last row and column stay zero.


# %%
def max_pool_backward(x, grad_y):
    """dL/dx, of the shape of x (B, C, H, W), from dL/dy (B, C, H // 2, W // 2)."""
    n, c, height, width = grad_y.shape
    used = x[:, :, : 2 * height, : 2 * width].reshape(n, c, height, 2, width, 2)
    windows = used.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, height, width, 4)
    flat = np.zeros(windows.shape)
    np.put_along_axis(flat, windows.argmax(axis=-1)[..., None], grad_y[..., None], axis=-1)
    grad_x = np.zeros(x.shape)
    back = flat.reshape(n, c, height, width, 2, 2).transpose(0, 1, 2, 4, 3, 5)
    grad_x[:, :, : 2 * height, : 2 * width] = back.reshape(n, c, 2 * height, 2 * width)
    return grad_x


# %% [markdown]
# ## 7 A residual block
#
# If the block's norms start with weights of zero in the last norm, the block does nothing but ReLU of its
# shortcut at first, which is how many teams start it. The convolutions have no bias, because batch norm
# subtracts the mean, and with it any bias, and brings a shift of its own.


# %%
class ResidualBlock(nn.Module):
    """Two convolutions with batch norm, and a shortcut (He et al. 2016)."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()),
            *(nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def residual_block(n_in, n_out, stride=1):
    """A module from (B, n_in, H, W) to (B, n_out, H / stride, W / stride), rounded up."""
    return ResidualBlock(n_in, n_out, stride)


# %% [markdown]
# ## 8 A new head on a frozen network
#
# `requires_grad_(False)` freezes the weights, and does nothing to the running statistics, which are no
# parameters. They stand still only in evaluation mode. A linear head has no training mode of its own, so
# the whole network can stay in evaluation mode. The features could be computed once, before the loop.


# %%
def train_new_head(model, n_classes, x, y, n_steps=30, rate=0.5):
    """(the model in evaluation mode, with a new and trained `fc`; the loss before each step)."""
    model.requires_grad_(False)
    model.eval()
    model.fc = nn.Linear(model.fc.in_features, n_classes)
    with torch.no_grad():
        features = model.features(x)  # (B, 16)
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=rate)
    losses = []
    for _ in range(n_steps):
        loss = F.cross_entropy(model.fc(features), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.eval(), losses


# %% [markdown]
# ## 9 Three networks, three faults
#
# Ada's network ends with a softmax, and `cross_entropy` takes another one of the probabilities. The
# scores that it sees lie between 0 and 1, so the loss cannot fall below 1.46, and it falls slowly. Ben
# pools after flattening: four neighbours of the flat row are not a window of the image, and some of them
# belong to two rows or to two channels. Cleo's pixels go from 0 to 255, so her first gradients are
# hundreds of times too large for the learning rate.


# %%
def three_faults():
    """For each colleague a name from FAULTS."""
    return {"Ada": "softmax twice", "Ben": "flatten before pooling", "Cleo": "inputs not normalized"}


# %% [markdown]
# ## 10 Extract, tune, or start anew?
#
# Two questions decide (9.5): how many labels there are, and how much the images are like those of the
# pretraining. With 100 labels tuning gained nothing sure in lesson 9.5, and a rate that was too high cost
# several points, so the mushrooms call for extraction. A trial with 4,000 clean labels gained a point or
# two, and the shelves have twice as many, with more to see in each photo. The x-rays are many, and unlike
# photos. On noisy images a network from scratch was ahead of a tuned one in lesson 9.5, so either may be
# the better start here, and one would try both. Without labels there is nothing to train, but features
# can be compared as they are. These are rules of thumb: a small trial on validation images decides
# between two that are close.


# %%
def how_to_start():
    """For each project "extract", "tune" or "scratch"."""
    return {"mushrooms": "extract", "x-rays": "tune", "shelves": "tune", "search": "extract"}
