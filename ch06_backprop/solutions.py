# %% [markdown]
# # 6 Solutions: write the backward pass
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different, and if the
# check says that it is done, it is right.

# %%
import math

import numpy as np

# %% [markdown]
# ## 1 A graph on paper
#
# Six arrows: from $a$ and $b$ to $u$ (with $b = 3$ and $a = 2$ on them), from $u$ and $a$ to $v$ ($1$ and
# $-1$), from $u$ and $v$ to $L$ ($v = 4$ and $u = 6$). Going back, $v$ comes first: $\partial L /
# \partial v = u = 6$. Then $u$, which has two users: $v + 1 \cdot 6 = 10$. Last the leaves: $a$ gets $3
# \cdot 10$ from $u$ and $-1 \cdot 6$ from $v$, and $b$ gets $2 \cdot 10$. From $a$ there are three paths,
# over $u$ to $L$, over $u$ and $v$ to $L$, and over $v$ to $L$.


# %%
def graph_by_hand():
    """Values, gradients of L, and the number of paths from a to L, at a = 2 and b = 3."""
    return {
        "u": 6,
        "v": 4,
        "L": 24,
        "grad_v": 6,
        "grad_u": 10,
        "grad_a": 24,
        "grad_b": 20,
        "paths": 3,
    }


# %% [markdown]
# ## 2 The gradient along every path
#
# The list is in topological order, so its reverse visits a node when all nodes that use it have added
# their parts. The `+=` is the sum over paths, and the product in it is the chain.


# %%
def path_gradients(graph):
    """{name: d last / d name} for graph [(name, [(name of a parent, slope along it), ...]), ...]."""
    grads = {name: 0.0 for name, _ in graph}
    grads[graph[-1][0]] = 1.0
    for name, parents in reversed(graph):
        for parent, slope in parents:
            grads[parent] += grads[name] * slope
    return grads


# %% [markdown]
# ## 3 Two new nodes for micrograd
#
# The slope of tanh is $1 - \tanh^2$. For softmax, $\partial p_i / \partial s_j = p_i ([i = j] - p_j)$,
# because a score appears in its own exponential and in the sum of all. So each probability has all scores
# as parents. Taking the largest score away changes no probability and keeps the exponentials from
# overflowing.


# %%
def tanh_and_softmax(scores):
    """([tanh of each score], [softmax of the scores]): two lists of Values, one node for each entry."""
    Value = type(scores[0])
    tanhs = []
    for score in scores:
        out = math.tanh(score.data)
        tanhs.append(Value(out, (score,), "tanh", (1 - out * out,)))
    largest = max(score.data for score in scores)
    exps = [math.exp(score.data - largest) for score in scores]
    probs = [part / sum(exps) for part in exps]
    softmaxes = []
    for i, prob in enumerate(probs):
        slopes = [prob * ((i == j) - other) for j, other in enumerate(probs)]
        softmaxes.append(Value(prob, tuple(scores), "softmax", tuple(slopes)))
    return tanhs, softmaxes


# %% [markdown]
# ## 4 Two paths through one curve
#
# The product rule is the sum over two paths. The exponential $e^{-|x|}$ never overflows, and both sides
# of the sigmoid can be computed from it.


# %%
def swish_backward(x, grad_y):
    """dL/dx (n,) for y = x * sigmoid(x), from x (n,) and dL/dy (n,)."""
    small = np.exp(-np.abs(x))
    s = np.where(x >= 0, 1.0, small) / (1 + small)
    return grad_y * (s + x * s * (1 - s))


# %% [markdown]
# ## 5 The gradient that everybody uses
#
# It is the probabilities minus the truth, divided by the number of rows. Taking each row's largest score
# away changes no probability and keeps the exponentials from overflowing.


# %%
def cross_entropy_backward(logits, labels):
    """d(mean cross-entropy)/d(logits): (B, C) from logits (B, C) and labels (B,)."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))  # (B, C)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


# %% [markdown]
# ## 6 Back through a linear layer
#
# A weight is used once for every row of the batch, and so is a bias, so both gradients are sums over the
# batch. An input is used once for every output, so its gradient is a sum over the outputs.


# %%
def linear_backward(x, w, grad_y):
    """(dL/dx (B, n), dL/dw (m, n), dL/db (m,)) for y = x @ w.T + b, from dL/dy (B, m)."""
    return grad_y @ w, grad_y.T @ x, grad_y.sum(axis=0)


# %% [markdown]
# ## 7 Repair the un-broadcasting
#
# First the axes that broadcasting put in front, and over them a sum, since every copy was used. Then the
# axes of length one, all at once and with `keepdims`: without it the axis is lost, and in a loop the
# numbers of the later axes no longer fit.


# %%
def unbroadcast(grad, shape):
    """Sum grad over all that broadcasting added, so that the result has the given shape."""
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    return grad.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True)


# %% [markdown]
# ## 8 A norm, with nothing forgotten
#
# Let $h = x / r$, and let $g$ be the gradient times the gain. The direct path gives $g / r$. The path
# through $r$ takes away the part of $g$ that points along $h$. There is a reason: multiplying a row by a
# number changes nothing but through $\varepsilon$, so the gradient has no part along the row.


# %%
def rms_norm_backward(x, gain, grad_y, eps=1e-5):
    """(dL/dx (B, n), dL/dgain (n,)) for y = gain * x / sqrt(mean(x ** 2) + eps) row by row, dL/dy (B, n)."""
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + eps)  # (B, 1)
    h = x / r  # (B, n)
    g = grad_y * gain  # (B, n)
    return (g - h * (g * h).mean(axis=1, keepdims=True)) / r, (grad_y * h).sum(axis=0)


# %% [markdown]
# ## 9 A tool that checks gradients
#
# Moving both ways makes the error fall with the square of the step. One entry moves at a time, and each
# is put back. The lower bound in the denominator keeps an entry that `f` does not use from giving $0 /
# 0$.


# %%
def gradient_error(f, gradient, x):
    """Largest relative error of gradient (like x) against central differences of f at x, over all entries."""
    worst = 0.0
    h = 1e-5
    for place in np.ndindex(x.shape):
        value = x[place]
        x[place] = value + h
        up = f(x)
        x[place] = value - h
        slope = (up - f(x)) / (2 * h)
        x[place] = value
        size = max(abs(slope) + abs(gradient[place]), 1e-12)
        worst = max(worst, abs(slope - gradient[place]) / size)
    return worst
