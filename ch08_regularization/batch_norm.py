# %% [markdown]
# # 8.3 Batch norm: keeping the layers on speaking terms
#
# In a relay, every runner starts from where the one before hands over. Now let all of them change their
# running at once: each has trained for a handover that is no longer there. The layers of a network are in
# that position. Each learns on inputs that the layers below keep moving and stretching. *Batch
# normalization* puts the inputs back to the same place and size at every step.
#
# **You will build** batch norm for vectors and images, forward and backward, with the statistics it keeps
# for later use; train networks that do not train without it; and test the story above, which turns out to
# be only part of the truth. **You need** backpropagation (6.4), initialization (6.5) and activations
# (5.2).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

# %% [markdown]
# ## The problem, measured
#
# We take the network of the paper that introduced batch norm: three hidden layers of a hundred sigmoid
# units and small random weights (ours have standard deviation $0.05$). While it learns, we watch what
# arrives at one unit of the last hidden layer: the middle value over the validation images, and the band
# that holds most of them. (The argument `norm` is for later.)


# %%
def sigmoid_network(norm):
    """784-100-100-100-10 with sigmoids, as in Ioffe and Szegedy 2015, section 4.1; weights N(0, 0.05²)."""
    layers, n_in = [nn.Flatten()], 784
    for _ in range(3):
        layers += [nn.Linear(n_in, 100), *([nn.BatchNorm1d(100)] if norm else []), nn.Sigmoid()]
        n_in = 100
    layers.append(nn.Linear(n_in, 10))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.05)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def accuracy(model, x, y):
    """Share of right answers in eval mode."""
    model.eval()
    with torch.no_grad():
        right = (model(x).argmax(dim=1) == y).float().mean().item()
    model.train()
    return right


# %% [markdown]
# The training loop counts the steps to a wanted accuracy, and lets a visitor watch.


# %%
def steps_to(model, data, learning_rate, target, n_steps, every=5, batch_size=60, watch=None):
    """SGD steps until the validation accuracy reaches target, checked every few; None if it does not.

    data: (x, y, validation x, validation y). watch(model, step), if given, is called at every check, and
    then training goes on to the end.
    """
    x, y, *validation = data
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    reached = None
    for step in range(1, n_steps + 1):
        batch = torch.randint(len(x), (batch_size,))
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % every == 0:
            if reached is None and accuracy(model, *validation) >= target:
                reached = step
            if watch:
                watch(model, step)
            elif reached:
                break
    return reached


fashion = train_images[:4000], train_labels[:4000], train_images[4500:], train_labels[4500:]


def drift(norm, learning_rate, n_steps):
    """Percentiles of the input to one last-layer sigmoid during training: (checks, 3), with the steps."""
    torch.manual_seed(0)
    model, rows = sigmoid_network(norm), []

    def watch(model, step):
        with torch.no_grad():
            arriving = model[:-2](fashion[2])[:, 0]  # (500,): all layers but the last sigmoid and the logits
        rows.append((step, *np.percentile(arriving, (15, 50, 85))))

    steps_to(model, fashion, learning_rate, 1.0, n_steps, every=10, watch=watch)
    return np.array(rows)


tracks = {False: drift(False, learning_rate=5.0, n_steps=600)}
middle = tracks[False][:, 2]
print(f"the middle of what one unit receives moved between {middle.min():.1f} and {middle.max():.1f}")
assert np.ptp(middle) > 2

# %% [markdown]
# ## On paper first
#
# Normalise each unit over the batch. Two examples send a unit the values $1$ and $5$. Their mean is $3$,
# their variance $\frac{(1-3)^2 + (5-3)^2}{2} = 4$. Subtract and divide by the standard deviation: $-1$ and
# $1$. That may be the wrong place and size for what the layer has to do, so it gets two parameters to
# choose its own: with *gain* $\gamma = 3$ and *shift* $\beta = 10$ the output is $7$ and $13$.

# %%
arriving = np.array([1.0, 5.0])
normal = (arriving - arriving.mean()) / arriving.std()
print(normal, 3 * normal + 10)
assert np.array_equal(normal, [-1, 1]) and np.array_equal(3 * normal + 10, [7, 13])

# %% [markdown]
# ## From scratch: forward
#
# For a batch of $n$ and each unit on its own, with a small $\varepsilon$ against division by zero,
#
# $$\mu = \frac1n \sum_j x_j, \qquad v = \frac1n \sum_j (x_j - \mu)^2, \qquad
#   \hat x_j = \frac{x_j - \mu}{\sqrt{v + \varepsilon}}, \qquad y_j = \gamma\, \hat x_j + \beta .$$


# %%
def normalise(x, gamma, beta, eps=1e-5):
    """Batch norm of x (n, d) in training mode, gamma and beta (d,): the output and what backward needs."""
    mean, variance = x.mean(axis=0), x.var(axis=0)  # each (d,)
    x_hat = (x - mean) / np.sqrt(variance + eps)
    return gamma * x_hat + beta, (x_hat, np.sqrt(variance + eps), gamma)


x = rng.normal(loc=40, scale=7, size=(64, 5))
out, _ = normalise(x, np.ones(5), np.zeros(5))
print("means", out.mean(axis=0).round(12), "  deviations", out.std(axis=0).round(6))
assert np.abs(out.mean(axis=0)).max() < 1e-12 and np.abs(out.std(axis=0) - 1).max() < 1e-5

# %% [markdown]
# ## Backward
#
# Every example moves the mean and the variance, and so every other example. Write $g_j = \partial L /
# \partial y_j$, and $\langle\cdot\rangle$ for the average over the batch. Through $\hat x_j$ alone the
# gradient would be $\gamma g_j / \sqrt{v + \varepsilon}$. The mean removes the part of it that all
# examples share, and the variance removes the part along $\hat x$: adding a constant to $x$, or stretching
# it, changes nothing, so nothing may flow along these two directions.
#
# $$\frac{\partial L}{\partial x_j} = \frac{\gamma}{\sqrt{v + \varepsilon}}
#   \Big( g_j - \langle g \rangle - \hat x_j\, \langle g\, \hat x \rangle \Big), \qquad
#   \frac{\partial L}{\partial \gamma} = \sum_j g_j \hat x_j, \qquad
#   \frac{\partial L}{\partial \beta} = \sum_j g_j .$$


# %%
def normalise_backward(out_grad, cache):
    """Gradients for x, gamma and beta, from the one at the output and what `normalise` kept."""
    x_hat, deviation, gamma = cache
    centred = out_grad - out_grad.mean(axis=0) - x_hat * (out_grad * x_hat).mean(axis=0)
    return gamma / deviation * centred, (out_grad * x_hat).sum(axis=0), out_grad.sum(axis=0)


x, cotangent = rng.normal(size=(2, 6, 3))
gamma, beta = rng.normal(size=(2, 3))
grads = normalise_backward(cotangent, normalise(x, gamma, beta)[1])
nudge = 1e-6
for value, grad in zip((x, gamma, beta), grads):
    for place in np.ndindex(value.shape):
        ends = []
        for sign in (1, -1):
            value[place] += sign * nudge
            ends.append((normalise(x, gamma, beta)[0] * cotangent).sum())
            value[place] -= sign * nudge
        assert abs((ends[0] - ends[1]) / (2 * nudge) - grad[place]) < 1e-7
print("column sums of the gradient:", np.abs(grads[0].sum(axis=0)).max().round(15))
assert np.abs(grads[0].sum(axis=0)).max() < 1e-12

# %% [markdown]
# ## Images, and a memory for later
#
# In an image the same filter looks at every place, so one *channel* shares its statistics over all
# examples and all places: for $(N, C, H, W)$ the averages run over $N$, $H$ and $W$.
#
# When the network is used there may be no batch, and an answer should not depend on who else is in it. So
# training keeps *running* estimates of mean and variance, and eval mode uses those. At each step the new
# batch's value replaces a small share of the old estimate; the library calls this share `momentum`, though
# it is not the one of lesson 7.2. The running variance takes the *unbiased* estimate, with $n - 1$ below.


# %%
def per_channel(value, ndim):
    """(C,) with axes of one behind it, to broadcast against (N, C) or (N, C, H, W)."""
    return value.reshape(-1, *[1] * (ndim - 2))


def channel_sum(a, b=None):
    """Sum of a, or of a times b, over all axes but the second, (C,)."""
    if a.ndim == 2:
        return np.ones(len(a), a.dtype) @ (a if b is None else a * b)  # (N,) @ (N, C) -> (C,)
    a = a.reshape(*a.shape[:2], -1)  # (N, C, H, W) -> (N, C, H * W)
    return (a.sum(axis=-1) if b is None else np.vecdot(a, b.reshape(a.shape))).sum(axis=0)


class BatchNorm:
    """Batch norm of (N, C) or (N, C, H, W) arrays over all axes but the second (Ioffe and Szegedy 2015).

    `weight` and `bias` are gain and shift, `running_mean` and `running_var` what eval mode uses.
    """

    def __init__(self, n_channels, eps=1e-5, momentum=0.1, dtype=np.float64):
        self.weight, self.bias = np.ones(n_channels, dtype), np.zeros(n_channels, dtype)
        self.running_mean, self.running_var = np.zeros(n_channels, dtype), np.ones(n_channels, dtype)
        self.eps, self.momentum, self.training = eps, momentum, True

    def forward(self, x):
        """x normalised; raises ValueError for a wrong shape, or for one value a channel in training."""
        if x.ndim not in (2, 4) or x.shape[1] != len(self.weight):
            raise ValueError(f"expected {len(self.weight)} channels on axis 1 of 2 or 4, got {x.shape}")
        n = x.size // x.shape[1]
        if self.training and n < 2:
            raise ValueError(f"training needs more than one value a channel, got shape {x.shape}")
        mean = channel_sum(x) / n if self.training else self.running_mean  # (C,)
        centred = x - per_channel(mean, x.ndim)
        variance = channel_sum(centred, centred) / n if self.training else self.running_var  # (C,)
        if self.training:
            kept, unbiased = 1 - self.momentum, variance * (n / (n - 1))
            self.running_mean = kept * self.running_mean + self.momentum * mean
            self.running_var = kept * self.running_var + self.momentum * unbiased
        self.scale = 1 / np.sqrt(variance + self.eps)  # (C,)
        self.centred, self.n = centred, n
        out = centred * per_channel(self.scale * self.weight, x.ndim)
        out += per_channel(self.bias, x.ndim)
        return out

    def backward(self, out_grad):
        """Gradient at the input of the last forward; fills `weight_grad` and `bias_grad`."""
        ndim = out_grad.ndim
        along = channel_sum(out_grad, self.centred)  # (C,)
        self.weight_grad, self.bias_grad = along * self.scale, channel_sum(out_grad)
        if not self.training:
            return out_grad * per_channel(self.scale * self.weight, ndim)
        x_grad = self.centred * per_channel(-along * self.scale**2 / self.n, ndim)
        x_grad += out_grad
        x_grad -= per_channel(self.bias_grad / self.n, ndim)
        x_grad *= per_channel(self.scale * self.weight, ndim)
        return x_grad


# %% [markdown]
# The class multiplies out what the functions wrote plainly, to touch large arrays as few times as
# possible. It must still say the same.

# %%
layer = BatchNorm(3)
layer.weight, layer.bias = gamma, beta
np.testing.assert_allclose(layer.forward(x), normalise(x, gamma, beta)[0], rtol=1e-10, atol=1e-12)
ours = layer.backward(cotangent), layer.weight_grad, layer.bias_grad
for mine, grad in zip(ours, grads):
    np.testing.assert_allclose(mine, grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The same in PyTorch
#
# `nn.BatchNorm1d` and `nn.BatchNorm2d`, with the same gains and shifts, see the same ten batches. We
# compare outputs, gradients and both running statistics, and then the answers in eval mode.

# %%
largest = 0.0
for torch_layer, shape in ((nn.BatchNorm1d(4), (7, 4)), (nn.BatchNorm2d(4), (3, 4, 5, 2))):
    torch_layer = torch_layer.double()
    layer = BatchNorm(4)
    layer.weight, layer.bias = rng.normal(size=(2, 4))
    with torch.no_grad():
        torch_layer.weight.copy_(torch.from_numpy(layer.weight))
        torch_layer.bias.copy_(torch.from_numpy(layer.bias))
    for step in range(11):
        layer.training = step < 10
        torch_layer.train(step < 10)
        x, cotangent = rng.normal(loc=2, scale=3, size=(2, *shape))
        inputs = torch.from_numpy(x).requires_grad_()
        torch_out = torch_layer(inputs)
        theirs = torch.autograd.grad(
            torch_out, (inputs, torch_layer.weight, torch_layer.bias), torch.from_numpy(cotangent)
        )
        theirs = torch_out.detach(), *theirs, torch_layer.running_mean, torch_layer.running_var
        ours = layer.forward(x), layer.backward(cotangent), layer.weight_grad, layer.bias_grad
        ours += layer.running_mean, layer.running_var
        for mine, other in zip(ours, theirs, strict=True):
            largest = max(largest, np.abs(mine - other.numpy()).max())
print(f"largest difference {largest:.1e}")
assert largest < 1e-10

# %% [markdown]
# As a module it is a few lines. The running statistics are buffers (4.3): they belong to the `state_dict`,
# but no optimizer touches them. A saved model must hold them, or eval mode has nothing to use.


# %%
class ModuleBatchNorm(nn.Module):
    """`nn.BatchNorm1d` in plain operations, for (N, C)."""

    def __init__(self, n_channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))
        self.eps, self.momentum = eps, momentum

    def forward(self, x):
        if self.training:
            mean, variance = x.mean(dim=0), x.var(dim=0, correction=0)  # each (C,)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(x.var(dim=0), self.momentum)
        else:
            mean, variance = self.running_mean, self.running_var
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias


module, reference = ModuleBatchNorm(3).double(), nn.BatchNorm1d(3).double()
for _ in range(5):
    x = torch.randn(6, 3, dtype=torch.float64) * 4 + 1
    torch.testing.assert_close(module(x), reference(x))
module.eval(), reference.eval()
torch.testing.assert_close(module(x), reference(x))
for name, buffer in module.named_buffers():
    torch.testing.assert_close(buffer, reference.state_dict()[name])
print(
    "parameters",
    [name for name, _ in module.named_parameters()],
    "  buffers",
    [n for n, _ in module.named_buffers()],
)

# %% [markdown]
# ## What it does: the paper's network
#
# The sigmoid network again, with and without, at several learning rates each. We count steps until three
# in four validation images are right. At rate $0.5$ the difference is largest; the fair comparison gives
# each its best rate. Then we look again at what one unit receives, at the same large rate with batch norm.

# %%
n_most, target = 1000, 0.75
reached = {}
print(f"{'learning rate':20s}{'without':>12s}{'batch norm':>12s}")
for learning_rate in (0.5, 2.0, 5.0):
    for norm in (False, True):
        torch.manual_seed(1)
        reached[norm, learning_rate] = steps_to(sigmoid_network(norm), fashion, learning_rate, target, n_most)
    counts = [reached[norm, learning_rate] or f"over {n_most}" for norm in (False, True)]
    print(f"{learning_rate:<20}{counts[0]!s:>12s}{counts[1]!s:>12s}")
steps = {key: value or n_most for key, value in reached.items()}
best = {norm: min(count for key, count in steps.items() if key[0] == norm) for norm in (False, True)}
print(
    f"at rate 0.5 at least {steps[False, 0.5] / steps[True, 0.5]:.0f} times fewer, at the best rates "
    f"{best[False] / best[True]:.0f} times"
)
assert steps[False, 0.5] > 3 * steps[True, 0.5] and best[False] > 3 * best[True]

tracks[True] = drift(True, learning_rate=5.0, n_steps=600)
moved = {norm: np.ptp(track[:, 2]) for norm, track in tracks.items()}
assert moved[True] < 0.5 * moved[False]

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (norm, track) in zip(axes, tracks.items()):
    ax.fill_between(track[:, 0], track[:, 1], track[:, 3], color="C0", alpha=0.3, label="most images")
    ax.plot(track[:, 0], track[:, 2], color="C0", label="the middle image")
    ax.set(xlabel="step", title="with batch norm" if norm else "without batch norm")
axes[0].set_ylabel("input to one unit of layer 3")
axes[0].legend(loc="upper left")
fig.suptitle("Batch norm keeps what a layer receives in place")
plt.show()

# %% [markdown]
# ## What it does: twenty layers
#
# A network of twenty ReLU layers on digits. With PyTorch's default initialization the signal dies on the
# way (lesson 6.5), and none of the rates here trains it. Batch norm restores the signal at every layer,
# and one of the same rates trains it quickly. With He initialization the network trains by itself, and
# batch norm is worth less: fewer steps at its best rate, which is a larger one, but at the smallest rate
# here it lags *behind*.


# %%
def deep_network(norm, he, depth=20, width=100):
    """Digits to ten logits through `depth` ReLU layers; He or PyTorch's default initialization."""
    layers, n_in = [], 64
    for _ in range(depth):
        linear = nn.Linear(n_in, width)
        if he:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
        layers += [linear, *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, 10))


pixels, answers = torch.from_numpy(images).float(), torch.from_numpy(labels)
digit_data = pixels[:1000], answers[:1000], pixels[1000:], answers[1000:]
deep, ends = {}, {}
print(f"{'start, rate':20s}{'without':>12s}{'batch norm':>12s}")
trials = [(False, rate, 200) for rate in (0.01, 0.1, 1.0)]  # He or default, learning rate, most steps
trials += [(True, 0.01, 200), (True, 0.03, 500), (True, 0.3, 200)]
for he, learning_rate, n_steps in trials:
    counts = []
    for norm in (False, True):
        torch.manual_seed(1)
        model = deep_network(norm, he)
        deep[he, learning_rate, norm] = steps_to(model, digit_data, learning_rate, 0.85, n_steps, every=10)
        ends[he, learning_rate, norm] = accuracy(model, *digit_data[2:])
        counts.append(deep[he, learning_rate, norm] or f"over {n_steps}")
    name = f"{'He' if he else 'default'}, {learning_rate}"
    print(f"{name:20s}{counts[0]!s:>12s}{counts[1]!s:>12s}")

# %%
he_best = {norm: min(deep[True, rate, norm] or 500 for rate in (0.03, 0.3)) for norm in (False, True)}
slow = {norm: ends[True, 0.01, norm] for norm in (False, True)}
print(f"with He initialization, fewest steps without {he_best[False]}, with batch norm {he_best[True]}")
print(f"accuracy after 200 small steps without {slow[False]:.2f}, with batch norm {slow[True]:.2f}")
assert all(deep[False, rate, False] is None and ends[False, rate, False] < 0.2 for rate in (0.01, 0.1, 1.0))
assert deep[False, 0.1, True] < 200
assert he_best[False] < 500 and he_best[True] < 0.7 * he_best[False]
assert slow[True] < slow[False] - 0.02

# %% [markdown]
# ## Is the story true?
#
# The paper called the moving inputs *internal covariate shift*. Three years later others put noise
# *behind* batch norm, which moves the inputs more than before, and it trained as fast. Their measurement
# points elsewhere: the loss becomes smoother, so that the gradient still tells the truth a step further
# on.
#
# We repeat the measurement: while a ten-layer network trains, we go from where it stands downhill, along
# the gradient, by a step of varying size, and look at the loss there, against the loss here.


# %%
def loss_along_the_gradient(norm, step_sizes, learning_rate=0.03, n_steps=100, every=5):
    """Loss after a gradient step of each size over the loss before it, (checks, n_sizes), while training."""
    torch.manual_seed(0)
    model = deep_network(norm, he=True, depth=10)
    weights, rows = list(model.parameters()), []

    def move(grads, size):
        for weight, grad in zip(weights, grads):
            weight -= size * grad

    for step in range(n_steps):
        batch = torch.randint(1000, (60,))

        def loss(batch=batch):
            return F.cross_entropy(model(pixels[batch]), answers[batch])

        here = loss()
        grads = torch.autograd.grad(here, weights)
        with torch.no_grad():
            if step % every == 0:
                rows.append([])
                for size in step_sizes:
                    move(grads, size)
                    rows[-1].append((loss() / here).item())
                    move(grads, -size)  # and back
            move(grads, learning_rate)
    return np.array(rows)


step_sizes = np.array([0.003, 0.01, 0.03, 0.1, 0.3])
ratios = {norm: loss_along_the_gradient(norm, step_sizes) for norm in (False, True)}  # each (20, 5)
for norm, rows in ratios.items():
    print(
        f"{'batch norm' if norm else 'without':12s}" + "".join(f"{r:10.2f}" for r in np.median(rows, axis=0))
    )
assert np.median(ratios[False][:, -1]) > 2 and np.median(ratios[True][:, -1]) < 1.2

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (norm, rows), style, color in zip(ratios.items(), ("o--", "s-"), ("C0", "C1")):
    low, middle, high = np.percentile(rows, (15, 50, 85), axis=0)  # each (5,)
    ax.loglog(step_sizes, middle, style, color=color, label="with batch norm" if norm else "without")
    ax.fill_between(step_sizes, low, high, color=color, alpha=0.2)
ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step along the gradient", ylabel="loss there / loss here")
ax.set_title("With batch norm the gradient holds for larger steps")
ax.legend()
plt.show()

# %% [markdown]
# One reason can be written down. Multiply a layer's weights by ten, and batch norm divides by ten again:
# the output stays, and the gradient shrinks to a tenth. A layer that has grown too loud takes smaller
# steps, by itself.

# %%
x = torch.randn(32, 5, dtype=torch.float64)
weight = torch.randn(4, 5, dtype=torch.float64)
cotangent = torch.randn(32, 4, dtype=torch.float64)
results = []
for factor in (1, 10):
    scaled = (factor * weight).requires_grad_()
    out = F.batch_norm(x @ scaled.T, None, None, training=True, eps=1e-14)  # (32, 5) @ (5, 4) -> (32, 4)
    results.append((out.detach(), torch.autograd.grad(out, scaled, cotangent)[0]))
(out, grad), (out10, grad10) = results
print(f"output moved by {(out - out10).abs().max():.1e}, gradient by a factor {(grad10 / grad).mean():.3f}")
torch.testing.assert_close(out, out10)
torch.testing.assert_close(grad / 10, grad10)

# %% [markdown]
# ## Gone when you use it
#
# In eval mode batch norm is a fixed line, $\gamma (x - \mu) / \sqrt{v + \varepsilon} + \beta$ with stored
# $\mu$ and $v$, and the linear layer before it is one, too. Two lines make one: with $s = \gamma / \sqrt{v
# + \varepsilon}$,
#
# $$W' = s \odot W, \qquad b' = s\, (b - \mu) + \beta ,$$
#
# where each row of $W$ is multiplied by its own $s$. A trained network can be shipped without its batch
# norms.


# %%
def fold(linear, norm):
    """One nn.Linear that does what `linear` followed by the nn.BatchNorm1d `norm` does in eval mode."""
    folded = nn.Linear(linear.in_features, linear.out_features, dtype=linear.weight.dtype)
    with torch.no_grad():
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)  # (n_out,)
        folded.weight.copy_(scale[:, None] * linear.weight)  # (n_out, 1) * (n_out, n_in)
        bias = 0 if linear.bias is None else linear.bias  # often left out, as the norm has its own
        folded.bias.copy_(scale * (bias - norm.running_mean) + norm.bias)
    return folded


torch.manual_seed(2)
model = sigmoid_network(norm=True)
steps_to(model, fashion, 0.5, 0.75, 200)
model = model.double().eval()
layers, position = list(model), 0
while position < len(layers) - 1:
    if isinstance(layers[position + 1], nn.BatchNorm1d):
        layers[position : position + 2] = [fold(layers[position], layers[position + 1])]
    position += 1
folded = nn.Sequential(*layers)
with torch.no_grad():
    largest = (model(fashion[2].double()) - folded(fashion[2].double())).abs().max().item()
print(f"{len(model)} layers became {len(folded)}; largest difference of a logit {largest:.1e}")
assert largest < 1e-10 and not any(isinstance(layer, nn.BatchNorm1d) for layer in folded)

# %% [markdown]
# ## Where it hurts
#
# All of batch norm's troubles come from the batch.
#
# - **A batch of one.** Minus its own mean, a single example is zero, whatever it was. Both our layer and
#   PyTorch's refuse to train on it.
# - **Eval too early.** The running statistics start at zero and one, and follow slowly. The weights learn
#   quickly, so for a while eval mode is far behind.
# - **Small batches.** What an example turns into depends on the others in its batch, and the fewer they
#   are, the more. Lesson 8.4 is about that.

# %%
for one in (lambda: BatchNorm(3).forward(np.ones((1, 3))), lambda: nn.BatchNorm1d(3)(torch.ones(1, 3))):
    try:
        one()
        print("no error")
    except ValueError as error:
        print("ValueError:", str(error)[:70])

torch.manual_seed(0)
model, early = sigmoid_network(norm=True), []


def both_modes(model, step):
    """Note the validation accuracy with stored statistics, and with those of the batch itself."""
    stored = accuracy(model, *fashion[2:])
    with torch.no_grad():
        activations = fashion[2].flatten(1)  # (500, 784)
        for layer in model[1:]:
            own_batch = isinstance(layer, nn.BatchNorm1d)
            activations = (
                F.batch_norm(activations, None, None, layer.weight, layer.bias, True)
                if own_batch
                else layer(activations)
            )
    early.append((step, stored, (activations.argmax(dim=1) == fashion[3]).float().mean().item()))


steps_to(model, fashion, 0.5, 1.0, 60, every=3, watch=both_modes)
early = np.array(early)  # (20, 3): step, accuracy with stored statistics, with the batch's own

spreads, sizes = [], (2, 4, 8, 16, 32, 64)
population = rng.normal(size=5000)
for size in sizes:
    others = rng.choice(population, size=(2000, size - 1))  # (2000, size - 1): whom the example might meet
    batches = np.column_stack([np.full(2000, 0.5), others])  # (2000, size): the example first
    outputs = (batches[:, 0] - batches.mean(axis=1)) / np.sqrt(batches.var(axis=1) + 1e-5)
    spreads.append(outputs.std())
print("spread of one example's output: " + "  ".join(f"{n}: {s:.2f}" for n, s in zip(sizes, spreads)))
assert np.all(np.diff(spreads) < 0) and spreads[0] > 4 * spreads[-1]
assert early[2, 2] > early[2, 1] + 0.1 and abs(early[-1, 2] - early[-1, 1]) < 0.1

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(early[:, 0], early[:, 2], "s-", color="C0", markersize=4, label="statistics of the batch itself")
left.plot(early[:, 0], early[:, 1], "o--", color="C1", markersize=4, label="stored statistics (eval mode)")
left.set(xlabel="step", ylabel="validation accuracy", title="Early on, eval mode lags behind")
left.legend()
right.loglog(sizes, spreads, "o-", color="C0")
right.set(xlabel="batch size", ylabel="spread of the same example's output", xticks=sizes, xticklabels=sizes)
right.set_title("In a small batch, the company decides")
right.set_yticks([0.1, 0.2, 0.5, 1.0], [0.1, 0.2, 0.5, 1.0])
right.minorticks_off()
plt.show()

# %% [markdown]
# ## What to remember
#
# - Normalise each channel over the batch (and places), then scale and shift by two learned numbers.
# - The gradient loses its mean and its part along $\hat x$: every example answers for the whole batch.
# - Training uses the batch's statistics, eval mode stored ones; the stored variance is the unbiased one.
# - It makes bad starts trainable and large learning rates safe. Smoothness explains that better than shift
#   does.
# - Fold it away to ship; mind small batches and early evaluation.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Put batch norm behind the sigmoid instead of before it. How many steps to the target?
# 2. Give the last call of `steps_to` a `batch_size=2`, and print `early` behind it. What do the two modes
#    say?
# 3. In `sigmoid_network`, freeze the bias of every linear layer that has a batch norm behind it, with
#    `layer.bias.requires_grad_(False)`. What changes, and why next to nothing?
#
# ## Sources
#
# - S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal
#   covariate shift", ICML 2015, section 4.1: the network and the percentiles.
# - S. Santurkar, D. Tsipras, A. Ilyas, A. Madry, "How does batch normalization help optimization?",
#   NeurIPS 2018.
# - S. Arora, Z. Li, K. Lyu, "Theoretical analysis of auto rate-tuning by batch normalization", ICLR 2019:
#   louder weights, smaller steps.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017; E. Alpaydin, C. Kaynak, UCI, 1998: the data.
