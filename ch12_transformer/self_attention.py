# %% [markdown]
# # 12.2 Self-attention: every word gathers what it needs from the others
#
# "Ahab hunts the whale." What does _hunts_ mean here? To say it you look at who hunts and at what is
# hunted, and hardly at _the_. *Self-attention* does this for every word of a text at once: each word
# compares itself with all words, and takes an average of what they offer, in which the fitting words count
# most. It needs no recurrence. Self-attention is the main layer of the Transformer, the network behind
# translators, chat assistants and programs that predict how proteins fold.
#
# **You will build** self-attention from one sentence, step by step, then with matrices, with its two masks
# and its gradients. **You need** soft look-up (12.1), softmax (5.2), batches of matrix products (2.2) and
# the gradient of a matrix product (6.4).

# %%
import math
import time
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# In a soft look-up (12.1) a query is compared with the keys, and the values are averaged with weights that
# say how well each key fits. Here the word _hunts_ has the query $q = (3, 0)$, in words: "I look for living
# beings, strongly, and not for actions". Each word answers with a key, (is it living?, is it an action?),
# and offers a value, its size $v$. We call $d$ the length of query and key, here $2$.
#
# $$\begin{array}{lcccc}
#   & \text{Ahab} & \text{hunts} & \text{the} & \text{whale} \\
#   \text{key } k & (1, 0) & (0, 1) & (0, 0) & (1, 0) \\
#   \text{score } z = q \cdot k / \sqrt d & 3 / \sqrt 2 = 2.12 & 0 & 0 & 2.12 \\
#   \text{exponential } e^z & 8.34 & 1 & 1 & 8.34 \\
#   \text{weight } w = e^z / 18.68 & 0.4465 & 0.0535 & 0.0535 & 0.4465 \\
#   \text{value } v & 2 & 0 & 0 & 16
# \end{array}$$
#
# The weights come from softmax (5.2), so they are positive and their sum is one. The output is the
# average of the values with these weights:
#
# $$\sum_s w_s v_s = 0.4465 \cdot 2 + 0.0535 \cdot 0 + 0.0535 \cdot 0 + 0.4465 \cdot 16 = 8.04 .$$
#
# That is close to $9$, the mean size of Ahab and the whale. Why the scores are divided by $\sqrt d$, we
# shall measure below.

# %%
words = ["Ahab", "hunts", "the", "whale"]
paper_query = [3.0, 0.0]
paper_keys = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
paper_sizes = [2.0, 0.0, 0.0, 16.0]
paper_scores = [sum(q * k for q, k in zip(paper_query, key)) / math.sqrt(2) for key in paper_keys]
total = sum(math.exp(score) for score in paper_scores)
paper_weights = [math.exp(score) / total for score in paper_scores]
paper_out = sum(weight * size for weight, size in zip(paper_weights, paper_sizes))
for word, weight in zip(words, paper_weights):
    print(f"{word:20s}weight {weight:.4f}")
print(f"{'output':20s}{paper_out:12.2f}")
assert abs(paper_out - 8.04) < 0.005

# %% [markdown]
# ## Query, key and value of every word
#
# Where do query, key and value come from? In _self_-attention all three are made from the word itself.
# Each word is a vector $x_t$ of $D$ features, and three weight matrices turn it into
#
# - its query $q_t = W^Q x_t$: what this word looks for in others,
# - its key $k_t = W^K x_t$: what the queries of other words are compared with,
# - its value $v_t = W^V x_t$: what this word hands over to those who attend to it.
#
# The matrices are learned, and they are the same for all words. Here we choose them by hand, so that every
# number can be read. A word has three features: is it living, is it an action, how large is it. Actions
# look for living beings, and living beings look for actions.

# %%
x = np.array([[1, 0, 2], [0, 1, 0], [0, 0, 0], [1, 0, 16]], dtype=float)  # (T, D)
weight_q = np.array([[0, 3, 0], [3, 0, 0]], dtype=float)  # (d, D): an action looks for living beings, …
weight_k = np.array([[1, 0, 0], [0, 1, 0]], dtype=float)  # (d, D): living, action
weight_v = np.array([[0, 0, 1], [0, 1, 0]], dtype=float)  # (d, D): size, action
query = x @ weight_q.T  # (T, D) @ (D, d) -> (T, d), and the same for key and value
key = x @ weight_k.T
value = x @ weight_v.T


def draw_matrix(ax, matrix, columns, title):
    """A row for each word, with its numbers written into the fields."""
    image = ax.imshow(matrix, cmap="viridis", aspect="auto", vmin=0)
    for (row, column), number in np.ndenumerate(matrix):
        dark = number < 0.6 * matrix.max()
        ax.text(column, row, f"{number:.3g}", color="white" if dark else "black", ha="center", va="center")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(words)), words)
    ax.set_title(title)
    return image


fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
draw_matrix(axes[0], x, ["living", "action", "size"], "features x")
draw_matrix(axes[1], query, ["seeks\nliving", "seeks\naction"], "queries Q = x Wqᵀ")
draw_matrix(axes[2], key, ["living", "action"], "keys K = x Wkᵀ")
draw_matrix(axes[3], value, ["size", "action"], "values V = x Wvᵀ")
plt.show()

# %% [markdown]
# Each row is one word. So the second row of $Q$ is the query from the paper, the rows of $K$ are the four
# keys (which stood side by side there), and the first column of $V$ has the sizes. The word _the_ has only
# zeros, so it looks for nothing in particular.
#
# ## Scores, weights, output
#
# Now every word does what _hunts_ did on paper. With $T$ queries $q_t$ and $S$ keys $k_s$ (here both are
# the four words),
#
# $$z_{ts} = \frac{q_t \cdot k_s}{\sqrt d}, \qquad w_{ts} = \frac{e^{z_{ts}}}{\sum_r e^{z_{tr}}}, \qquad
#   \text{out}_t = \sum_s w_{ts}\, v_s .$$
#
# First with loops, one number at a time.


# %%
def attention_loops(query, key, value):
    """Scaled dot-product attention, one number at a time (Vaswani et al. 2017, section 3.2.1).

    query: T lists of d numbers, key: S lists of d, value: S lists of equal length. Returns T such lists.
    """
    out = []
    for q in query:
        scores = [sum(a * b for a, b in zip(q, k)) / math.sqrt(len(q)) for k in key]
        largest = max(scores)  # subtracted, so that no exponential overflows (5.2)
        exps = [math.exp(score - largest) for score in scores]
        weights = [e / sum(exps) for e in exps]
        out.append([sum(w * v[i] for w, v in zip(weights, value)) for i in range(len(value[0]))])
    return out


loops_out = np.array(attention_loops(query.tolist(), key.tolist(), value.tolist()))  # (T, d)
print(loops_out.round(2))

# %% [markdown]
# The loops are three matrix operations. All scores are one product, $Z = Q K^\top / \sqrt d$; softmax
# turns each row of $Z$ into a row of weights $W$; and all outputs are another product, $W V$:
#
# $$\operatorname{attention}(Q, K, V) = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$
#
# This is *scaled dot-product attention*. NumPy's `@` works on the last two axes and repeats itself over
# all axes before them, so the same lines serve a whole batch of sentences. The argument `mask` is
# explained further down.


# %%
def attention(query, key, value, mask=None):
    """Scaled dot-product attention (Vaswani et al. 2017): the output (..., T, n) and the weights (..., T, S).

    query: (..., T, d), key: (..., S, d), value: (..., S, n), with the same leading axes; mask: boolean,
    broadcast against (..., T, S), True where a query may attend. A query that may attend to no key at all
    gets NaN, as in `nn.MultiheadAttention`. Raises ValueError if leading axes differ or the mask is not
    boolean.
    """
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        raise ValueError(f"leading axes differ: {query.shape}, {key.shape}, {value.shape}")
    if mask is not None and mask.dtype != bool:
        raise ValueError(f"the mask must be boolean, got {mask.dtype} of shape {mask.shape}")
    # (..., T, d) @ (..., d, S) -> (..., T, S)
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    exps = np.exp(scores - scores.max(axis=-1, keepdims=True))  # the largest is e⁰, so none overflows
    weights = exps / exps.sum(axis=-1, keepdims=True)
    return weights @ value, weights  # (..., T, S) @ (..., S, n) -> (..., T, n)


out, weights = attention(query, key, value)
np.testing.assert_allclose(out, loops_out, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)

# %% [markdown]
# Which word will get the most weight from _whale_, and what will _the_ receive, whose query is zero?

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
draw_matrix(left, query @ key.T / math.sqrt(2), words, "scores Z")  # (T, d) @ (d, S) -> (T, S)
draw_matrix(middle, weights, words, "weights W = softmax of each row")
draw_matrix(right, out, ["size", "action"], "output W V")
for ax in (left, middle):
    ax.set(xlabel="key", ylabel="query")
plt.show()

# %% [markdown]
# In the middle panel, the row of _hunts_ has its weight on Ahab and the whale, and the rows of Ahab and
# the whale have theirs on _hunts_. The word _the_ has equal scores for all, so it weighs all words the
# same, and receives the plain mean, because a query cannot choose _nothing_. On the right, _hunts_ has
# received the number from the paper, and Ahab and the whale have received part of the action that _hunts_
# offers.
#
# ## Order does not count
#
# Does it matter in which order the words stand? To see it, we shuffle them and compare each word's
# output.


# %%
def self_attention(x, weight_q, weight_k, weight_v, mask=None):
    """Attention of x (..., T, D) to itself with weights (d, D) each; returns (..., T, d) and (..., T, T)."""
    query = x @ weight_q.T  # (..., T, D) @ (D, d) -> (..., T, d), and the same for key and value
    key = x @ weight_k.T
    value = x @ weight_v.T
    return attention(query, key, value, mask)


order = np.array([2, 3, 1, 0])
shuffled_out, _ = self_attention(x[order], weight_q, weight_k, weight_v)
print(" ".join(words[i] for i in order), f" largest difference {np.abs(shuffled_out - out[order]).max():.1e}")
np.testing.assert_allclose(shuffled_out, out[order], rtol=1e-10, atol=1e-12)

# %% [markdown]
# The outputs are the same, in the new order. A layer with this property is called *permutation
# equivariant*. "The whale hunts Ahab" is the same to it, and lesson 12.4 mends that.
#
# ## Why the scores are divided by √d
#
# With two features the scores were small, but a real head has 64 features or more. Let the entries of a
# query and a key be independent with mean $0$ and variance $1$. Each product $q_i k_i$ has variance $1$,
# and the variance of a sum of $d$ of them is $d$. So raw scores should spread like $\sqrt d$, and divided
# by $\sqrt d$ they should spread like $1$ at any size. What does softmax make of either? We measure the
# largest weight among $32$ keys, and how much the weights can still change: the sum of the slopes
# $\partial w_s / \partial z_s = w_s (1 - w_s)$ (5.2).

# %%
sizes_d = [4, 16, 64, 256, 1024]
n_draws = 400
spread = []
largest = {"raw": [], "scaled": []}
slope = {"raw": [], "scaled": []}
print(f"{'d':20s}{'spread':>12s}{'√d':>12s}{'top, raw':>12s}{'top, scaled':>12s}{'slope, raw':>12s}")
for d in sizes_d:
    queries = rng.normal(size=(n_draws, 1, d))
    keys = rng.normal(size=(n_draws, 32, d))
    products = queries @ keys.swapaxes(-1, -2)  # (n, 1, d) @ (n, d, 32) -> (n, 1, 32)
    spread.append(products.std())
    for name, factor in (("raw", math.sqrt(d)), ("scaled", 1)):
        # "raw": √d times the query, so that the division by √d inside `attention` cancels
        _, w = attention(factor * queries, keys, keys)
        largest[name].append(w.max(axis=-1).mean())
        slope[name].append((w * (1 - w)).sum(axis=-1).mean())
    row = spread[-1], math.sqrt(d), largest["raw"][-1], largest["scaled"][-1], slope["raw"][-1]
    print(f"{d:<20d}" + "".join(f"{number:12.3g}" for number in row))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(sizes_d, spread, "o", color="C0", label="measured")
left.loglog(sizes_d, np.sqrt(sizes_d), "--", color="C1", label="√d")
left.set(xlabel="d", ylabel="spread of q · k", title="Spread of raw scores")
left.set_yticks([2, 4, 8, 16, 32], [2, 4, 8, 16, 32])
left.legend()
for (name, line), style in zip(slope.items(), ("o-", "s--")):
    right.semilogx(sizes_d, line, style, label=name)
right.set(xlabel="d", ylabel="slope left, sum of w (1 − w)", ylim=(0, 1.05))
right.set_title("Slope of softmax with raw and scaled scores")
right.legend(loc="lower left")
for ax in (left, right):
    ax.set_xticks(sizes_d, sizes_d)
    ax.minorticks_off()
plt.show()

# %% [markdown]
# On the left the measured points lie on $\sqrt d$. The table shows what follows: with raw scores and many
# features one key takes nearly all the weight, before anything has been learned. On the right, softmax then
# has almost no slope left, so hardly any gradient would reach a query that asked for the wrong thing.
# Divided by $\sqrt d$, the slope is the same at every size.
#
# ## Two masks
#
# Not every query may see every key, for a model that predicts the next word must not look at it. The
# *causal mask* lets position $t$ attend to positions up to $t$ only, so the allowed pairs make a
# triangle. And a batch holds texts of different lengths, filled up with padding at the end, and the
# *padding mask* hides those keys from everybody. In both, `True` means "may attend". A forbidden score is
# set to $-\infty$ before softmax, and because $e^{-\infty} = 0$, its weight is zero.
#
# We take three names, one letter per position, and random weights. (For names of your own, write
# `chosen = ["ada", "noah"]` instead; they may have only the letters a to z.)


# %%
def one_hot_names(names):
    """Letters as (B, T, 26), zero in the padding after a name.

    Raises ValueError for other characters, and for names without a letter.
    """
    others = sorted(set("".join(names)) - set("abcdefghijklmnopqrstuvwxyz"))
    if others:
        raise ValueError(f"only a to z, got {others}")
    if not names or "" in names:
        raise ValueError(f"every name needs a letter, got {names}")
    letters = np.zeros((len(names), max(map(len, names)), 26))
    for b, name in enumerate(names):
        letters[b, np.arange(len(name)), [ord(letter) - ord("a") for letter in name]] = 1
    return letters


names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
chosen = [name for name in names if name in ("gabriel", "jonah", "peter")]
letters = one_hot_names(chosen)  # (B, T, 26)
n_letters = np.array([len(name) for name in chosen])  # (B,)
letter_weights = rng.normal(size=(3, 5, 26))  # three (d, D), for queries, keys and values

n_longest = letters.shape[1]
causal_mask = np.tri(n_longest, dtype=bool)  # (T, S): True on and below the diagonal
padding_mask = np.arange(n_longest) < n_letters[:, None]  # (B, S)
padding_mask = padding_mask[:, None, :]  # (B, S) -> (B, 1, S): the same row for all queries
masks = {"no mask": None, "causal": causal_mask, "padding": padding_mask}
masks["both"] = causal_mask & padding_mask  # (T, S) & (B, 1, S) -> (B, T, S)
masked = {name: self_attention(letters, *letter_weights, mask) for name, mask in masks.items()}
print(chosen, {name: weights.shape for name, (_, weights) in masked.items()})

# %%
shown = int(np.argmin(n_letters))
ticks = list(chosen[shown].ljust(n_longest, "·"))
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, (name, (_, name_weights)) in zip(axes, masked.items()):
    image = ax.imshow(name_weights[shown], vmin=0, vmax=1, cmap="viridis")
    allowed = np.broadcast_to(True if masks[name] is None else masks[name], name_weights.shape)[shown]
    for t, s in np.argwhere(~allowed):
        ax.text(s, t, "×", color="white", ha="center", va="center")
    ax.set(title=name, xlabel="key", xticks=range(n_longest), xticklabels=ticks)
    ax.set(yticks=range(n_longest), yticklabels=ticks)
axes[0].set_ylabel("query")
fig.colorbar(image, ax=axes, label="weight")
fig.suptitle("Weights of one name under four masks (× is forbidden, · is padding)")
plt.show()

# %% [markdown]
# Every row sums to one in all four panels, so the keys that are left share the weight of the forbidden
# ones, in the proportions that they had. With both masks a letter sees only real letters up to itself. (The
# last two rows are the queries of the padding. Their outputs are computed, too, and nobody uses them.)
#
# To see whether the masks keep their promises, we compare a short name in the padded batch with the same
# name alone. And we change all letters from position 3 on, and see which outputs change.

# %%
for name in ("no mask", "padding"):
    n_jonah = n_letters[chosen.index("jonah")]
    in_batch = masked[name][0][chosen.index("jonah"), :n_jonah]  # (5, d)
    alone, _ = self_attention(one_hot_names(["jonah"]), *letter_weights)  # (1, 5, d)
    print(f"{name:20s}jonah in the batch and alone differ by {np.abs(in_batch - alone[0]).max():.1e}")
np.testing.assert_allclose(in_batch, alone[0], rtol=1e-10, atol=1e-12)

changed = letters.copy()
changed[:, 3:] += rng.normal(size=changed[:, 3:].shape)
for name in ("no mask", "causal"):
    changed_out, _ = self_attention(changed, *letter_weights, masks[name])
    change = np.abs(changed_out - masked[name][0]).max(axis=(0, 2))  # (T,)
    print(f"{name:20s}changed outputs at {np.flatnonzero(change).tolist()}")
assert np.array_equal(np.flatnonzero(change), np.arange(3, n_longest))

# %% [markdown]
# With the padding mask the result for a name does not depend on the longer names in its batch. And the
# causal mask lets nothing through from later letters, not even a rounding error.
#
# ## Backward
#
# For training we need the gradient of the loss $L$ with respect to $Q$, $K$ and $V$. Attention is two
# matrix products with a softmax between them, and each of these passes the gradient on as
# before (6.4, 5.2). From the output back, with $\partial L / \partial O$ for the gradient at the output:
#
# $$\begin{aligned}
#   \frac{\partial L}{\partial V} &= W^\top \frac{\partial L}{\partial O}, \qquad
#   \frac{\partial L}{\partial W} = \frac{\partial L}{\partial O} V^\top && \text{product } O = W V \\
#   \frac{\partial L}{\partial z_{ts}} &= w_{ts} \Big(\frac{\partial L}{\partial w_{ts}}
#     - \sum_r \frac{\partial L}{\partial w_{tr}}\, w_{tr}\Big) && \text{softmax of row } t \\
#   \frac{\partial L}{\partial Q} &= \frac{1}{\sqrt d} \frac{\partial L}{\partial Z} K, \qquad
#   \frac{\partial L}{\partial K} = \frac{1}{\sqrt d} \Big(\frac{\partial L}{\partial Z}\Big)^{\!\top} Q
#     && \text{product } Z = Q K^\top / \sqrt d
# \end{aligned}$$
#
# Masks need no line of their own, because where the weight is zero, so is the gradient of the score.


# %%
def attention_backward(grad_out, query, key, value, weights):
    """Gradients of query, key and value, each in its shape, from the one at the output (..., T, n)."""
    scale = 1 / math.sqrt(query.shape[-1])
    grad_value = weights.swapaxes(-1, -2) @ grad_out  # (..., S, T) @ (..., T, n) -> (..., S, n)
    grad_weights = grad_out @ value.swapaxes(-1, -2)  # (..., T, n) @ (..., n, S) -> (..., T, S)
    grad_scores = weights * (grad_weights - (grad_weights * weights).sum(axis=-1, keepdims=True))
    grad_query = scale * grad_scores @ key  # (..., T, S) @ (..., S, d) -> (..., T, d)
    grad_key = scale * grad_scores.swapaxes(-1, -2) @ query  # (..., S, T) @ (..., T, d) -> (..., S, d)
    return grad_query, grad_key, grad_value


# %% [markdown]
# ## The same in PyTorch
#
# `F.scaled_dot_product_attention` takes our shapes and our masks, `True` for "may attend". The same arrays
# go in, with a random mask; outputs and gradients are compared.

# %%
batch_query = rng.normal(size=(2, 4, 3))  # (B, T, d)
batch_key = rng.normal(size=(2, 5, 3))  # (B, S, d)
batch_value = rng.normal(size=(2, 5, 2))  # (B, S, n)
grad_out = rng.normal(size=(2, 4, 2))  # (B, T, n): the gradient at the output, random
mask = rng.random((2, 4, 5)) > 1 / 3  # (B, T, S)
batch_out, batch_weights = attention(batch_query, batch_key, batch_value, mask)
gradients = attention_backward(grad_out, batch_query, batch_key, batch_value, batch_weights)

tensors = [torch.tensor(array, requires_grad=True) for array in (batch_query, batch_key, batch_value)]
torch_out = F.scaled_dot_product_attention(*tensors, attn_mask=torch.from_numpy(mask))
torch_gradients = torch.autograd.grad(torch_out, tensors, torch.from_numpy(grad_out))
parts = zip(("output", "query", "key", "value"), (batch_out, *gradients), (torch_out, *torch_gradients))
for name, ours, theirs in parts:
    theirs = theirs.detach().numpy()
    print(f"{name:20s}largest difference {np.abs(ours - theirs).max():.1e}")
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# All differences are rounding, so in a model you would write that one call, and `is_causal=True` in place
# of a triangle.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert abs(out[1, 0] - paper_out) < 1e-12, "hunts receives the number from the paper"
assert np.array_equal(weights[[0, 1, 3]].argmax(axis=1), [1, 0, 1]), "Ahab and the whale attend to hunts"
assert abs(weights[1, 0] - weights[1, 3]) < 1e-12, "hunts attends to Ahab and the whale alike"
assert np.ptp(weights[2]) < 1e-12, "a query of zeros weighs all words the same"
assert np.abs(spread / np.sqrt(sizes_d) - 1).max() < 0.1, "raw scores spread like √d"
assert largest["raw"][-1] > 0.9, "with raw scores one key takes nearly all the weight"
assert slope["raw"][-1] < 0.1, "with raw scores softmax has almost no slope left"
assert np.ptp(slope["scaled"]) < 0.05, "divided by √d, the slope is the same at every size"
for name in ("causal", "padding", "both"):
    left_over = masked["no mask"][1] * masks[name]  # (B, T, S)
    left_over = left_over / left_over.sum(axis=-1, keepdims=True)
    assert np.allclose(masked[name][1], left_over), "the keys that are left share the weight in proportion"

# %% [markdown]
# ## Going further
#
# This can be skipped, but it is how libraries make attention fast on long texts, and it is needed again
# in lesson 12.8, which writes long texts.
#
# ### The same, faster
#
# `attention` walks several times over $B \cdot T \cdot S$ numbers, more than fit into the processor's
# cache (the small, fast memory beside it). One sentence's share fits. So we finish one before we begin the
# next, work in place, and divide the $n$ columns of the output instead of the $S$ columns of the weights.
# The scores are stored transposed, keys down and queries across: the largest score of every query is then
# found by comparing whole rows, which a processor does for many numbers at a time. The price is code that
# no longer reads like the formula.


# %%
def attention_fast(query, key, value, mask=None, keep=True):
    """`attention`, one matrix at a time: the output and, to keep, what `attention_fast_backward` needs."""
    if mask is not None and mask.dtype != bool:
        raise ValueError(f"the mask must be boolean, got {mask.dtype} of shape {mask.shape}")
    dtype = np.result_type(query, key, value, np.float32)  # whole numbers become float64
    query, key, value = (np.asarray(array, dtype) for array in (query, key, value))
    *leading, n_queries, d = query.shape
    n_keys = key.shape[-2]
    exps = np.empty((*(leading if keep else [1] * len(leading)), n_keys, n_queries), dtype)
    total = np.empty((*leading, n_queries), dtype)
    out = np.empty((*leading, n_queries, value.shape[-1]), dtype)
    ones = np.ones(n_keys, dtype)
    scale = 1 / math.sqrt(d)
    if mask is not None:
        mask = np.atleast_2d(mask).swapaxes(-1, -2).copy()  # (..., T, S) -> (..., S, T)
        closed = np.where(mask, dtype.type(0), dtype.type(-np.inf))
        closed = np.broadcast_to(closed, (*leading, n_keys, n_queries))
    for i in np.ndindex(*leading):
        z = exps[i if keep else (0,) * len(i)]  # (S, T), a view: computed in place
        np.matmul(key[i], (query[i] * scale).T, out=z)  # (S, d) @ (d, T) -> (S, T)
        if mask is not None:
            z += closed[i]
        z -= z.max(axis=0)  # (T,)
        np.exp(z, out=z)
        total[i] = ones @ z  # (S,) @ (S, T) -> (T,)
        np.matmul(z.T, value[i], out=out[i])  # (T, S) @ (S, n) -> (T, n)
    out /= total[..., None]
    return out, (query, key, value, exps, total, out) if keep else None


# %% [markdown]
# In the backward pass the row sum needs no weights: $\sum_s \frac{\partial L}{\partial w_s} w_s = \sum_s
# (\frac{\partial L}{\partial o} \cdot v_s)\, w_s = \frac{\partial L}{\partial o} \cdot o$. And the total by
# which we did not divide goes into $\partial L / \partial O$, which has few columns.


# %%
def attention_fast_backward(grad_out, cache):
    """Gradients of query, key and value from the one at the output and what `attention_fast` kept."""
    query, key, value, exps, total, out = cache
    grad_query, grad_key, grad_value = (np.empty_like(array) for array in (query, key, value))
    buffer = np.empty(exps.shape[-2:], exps.dtype)
    grad_out = grad_out / total[..., None]
    inner = (grad_out * out).sum(axis=-1)  # (..., T)
    for i in np.ndindex(*exps.shape[:-2]):
        np.matmul(exps[i], grad_out[i], out=grad_value[i])  # (S, T) @ (T, n) -> (S, n)
        z = np.matmul(value[i], grad_out[i].T, out=buffer)  # (S, n) @ (n, T) -> (S, T)
        z -= inner[i]
        z *= exps[i]
        np.matmul(z.T, key[i], out=grad_query[i])  # (T, S) @ (S, d) -> (T, d)
        np.matmul(z, query[i], out=grad_key[i])  # (S, T) @ (T, d) -> (S, d)
    scale = 1 / math.sqrt(query.shape[-1])
    grad_query *= scale
    grad_key *= scale
    return grad_query, grad_key, grad_value


fast_out, cache = attention_fast(batch_query, batch_key, batch_value, mask)
fast_gradients = attention_fast_backward(grad_out, cache)
for fast, plain in zip((fast_out, *fast_gradients), (batch_out, *gradients), strict=True):
    np.testing.assert_allclose(fast, plain, rtol=1e-10, atol=1e-12)


def milliseconds(f, n_rounds=5):
    """Shortest time of a call of f, which keeps out whatever else the machine is doing."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


wide = rng.normal(size=(3, 16, 256, 32)).astype(np.float32)  # queries, keys and values, (B, T, d) each
print(f"plain {milliseconds(lambda: attention(*wide)):8.2f} ms")
print(f"fast  {milliseconds(lambda: attention_fast(*wide)):8.2f} ms")

# %% [markdown]
# Outputs and gradients are equal, and the two times show what the tuning saves on arrays of this size.
#
# ### Without the matrix
#
# The weights of one head are $T^2$ numbers, and yet every row is used once and thrown away. Can we see the
# keys in blocks and never hold a whole row? Our softmax begins with the largest score of the row, which is
# not known until all blocks have been seen. So the *online softmax* takes the largest that it has seen so
# far, $m$, and keeps the total $\ell = \sum e^{z - m}$ and the sum $a = \sum e^{z - m} v$. If a later
# block has a larger score $m'$, then what was summed is too large by a known factor: multiply $\ell$ and
# $a$ by $e^{m - m'}$ and go on.
#
# Take scores $1, 2$ in the first block, $3$ in the second, and values $10, 20, 30$. After the first block
# $m = 2$, $\ell = e^{-1} + 1$ and $a = 10 e^{-1} + 20$. The second block has $m' = 3$, so it multiplies
# both by $e^{-1}$ and adds $1$ and $30$.

# %%
total_so_far = math.exp(-1) + 1
sum_so_far = 10 * math.exp(-1) + 20
total_so_far = total_so_far * math.exp(2 - 3) + 1
sum_so_far = sum_so_far * math.exp(2 - 3) + 30
at_once, _ = attention(np.ones((1, 1)), np.array([[1.0], [2], [3]]), np.array([[10.0], [20], [30]]))
print(f"in blocks {sum_so_far / total_so_far:.6f}, at once {at_once.item():.6f}")
assert abs(sum_so_far / total_so_far - at_once.item()) < 1e-12

# %% [markdown]
# The function below does this for all queries of a block at the same time. With the causal mask, blocks of
# later keys are never visited, which saves nearly half of the work. On a GPU, FlashAttention (Dao et al.
# 2022) does the same with blocks that fit into the small, fast memory beside the arithmetic units, and
# `F.scaled_dot_product_attention` calls such a kernel if it can.


# %%
def attention_blockwise(query, key, value, causal=False, query_block=64, key_block=256):
    """The output of `attention` without its weights (Milakov and Gimelshein 2018; Dao et al. 2022).

    query: (..., T, d), key: (..., S, d), value: (..., S, n); causal: query t attends to keys 0 to t.
    """
    dtype = np.result_type(query, key, value, np.float32)  # whole numbers become float64
    *leading, n_queries, d = query.shape
    n_keys = key.shape[-2]
    out = np.empty((*leading, n_queries, value.shape[-1]), dtype)
    query = (query * dtype.type(1 / math.sqrt(d))).swapaxes(-1, -2)  # (..., d, T)
    value = value.swapaxes(-1, -2)  # (..., n, S)
    ones = np.ones((1, min(key_block, n_keys)), dtype)
    for left in range(0, n_queries, query_block):
        right = min(left + query_block, n_queries)
        end = min(right, n_keys) if causal else n_keys
        largest = -math.inf  # soon (..., 1, cols)
        total = 0.0  # soon (..., 1, cols)
        acc = 0.0  # soon (..., n, cols)
        for top in range(0, end, key_block):
            bottom = min(top + key_block, end)
            z = key[..., top:bottom, :] @ query[..., left:right]  # (..., rows, d) @ (..., d, cols)
            if causal and bottom > left:  # the block touches the diagonal
                first = max(top, left)
                late = np.arange(first, bottom)[:, None] > np.arange(left, right)  # (rows from first, cols)
                z[..., first - top :, :] += np.where(late, dtype.type(-np.inf), dtype.type(0))
            before, largest = largest, np.maximum(z.max(axis=-2, keepdims=True), largest)
            z -= largest
            np.exp(z, out=z)
            if top:  # what the blocks before have summed, for the new largest score
                factor = np.exp(before - largest)
                total *= factor
                acc *= factor
            total = total + ones[:, : bottom - top] @ z  # (1, rows) @ (..., rows, cols)
            acc = acc + value[..., top:bottom] @ z  # (..., n, rows) @ (..., rows, cols)
        out[..., left:right, :] = (acc / total).swapaxes(-1, -2)  # (..., n, cols) -> (..., cols, n)
    return out


odd = rng.normal(size=(3, 2, 3, 37, 4))  # queries, keys and values, (2, 3, T, d) each: two leading axes
for causal, blocks in ((False, (8, 5)), (True, (8, 5)), (True, (5, 64)), (True, (64, 7))):
    whole_out, _ = attention(*odd, np.tri(37, dtype=bool) if causal else None)
    block_out = attention_blockwise(*odd, causal, *blocks)
    np.testing.assert_allclose(block_out, whole_out, rtol=1e-10, atol=1e-12)
print(f"blocks of {blocks}: largest difference {np.abs(block_out - whole_out).max():.1e}")

# %% [markdown]
# ### The price of long texts
#
# Every word is compared with every other, so twice the length means four times the scores. What will
# blocks save, time or memory, or perhaps both of them? We double the length again and again, one causal
# head in float32, and measure the memory that NumPy asks for at most, and the time.


# %%
def cost(f, *arguments):
    """Most bytes that NumPy holds at once inside f(*arguments), and the shortest of three times in ms."""
    tracemalloc.start()
    f(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, milliseconds(lambda: f(*arguments), n_rounds=3)


lengths = [256, 512, 1024, 2048, 4096]
costs = {"whole": [], "blocks": []}
print(f"{'positions':20s}{'MB, whole':>12s}{'MB, blocks':>12s}{'ms, whole':>12s}{'ms, blocks':>12s}")
for n in lengths:
    long_arrays = rng.normal(size=(3, 1, n, 32)).astype(np.float32)  # (B, T, d) each
    long_mask = (
        np.arange(n)[:, None] <= np.arange(n)
    ).T  # (S, T) -> (T, S), laid out as the fast form uses it
    costs["whole"].append(cost(attention_fast, *long_arrays, long_mask))
    costs["blocks"].append(cost(attention_blockwise, *long_arrays, True))
    (peak, ms), (block_peak, block_ms) = costs["whole"][-1], costs["blocks"][-1]
    print(f"{n:<20d}" + "".join(f"{number:12.3g}" for number in (peak / 1e6, block_peak / 1e6, ms, block_ms)))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, pairs), style in zip(costs.items(), ("o-", "s--")):
    peaks, times = np.array(pairs).T
    left.loglog(lengths, peaks / 1e6, style, label=name)
    right.loglog(lengths, times, style, label=name)
for ax, unit in ((left, "peak memory (MB)"), (right, "time (ms)")):
    ax.set(xlabel="positions", ylabel=unit, xticks=lengths, xticklabels=lengths)
    ax.minorticks_off()
left.set_title("Memory against length")
right.set_title("Time against length")
left.legend()
plt.show()

# %% [markdown]
# On the left, twice the length takes four times the memory for the whole matrix, and at most twice in
# blocks. On the right both lines get steeper, until twice the length takes about four times the time or
# more. So blocks avoid the square of the memory, not the square of the work. (The blocks are faster here,
# partly because they skip the later keys.)

# %%
growth = {name: pairs[-1][0] / pairs[-2][0] for name, pairs in costs.items()}
assert growth["whole"] > 3.5, "twice the length takes four times the memory for the whole matrix"
assert growth["blocks"] < 2.3, "twice the length takes at most twice the memory in blocks"

# %% [markdown]
# ## What to remember
#
# - Each word makes a query, a key and a value from its own features. The output is
#   $\operatorname{softmax}(Q K^\top / \sqrt d)\, V$: for each query an average of the values.
# - Division by $\sqrt d$ keeps the spread of the scores at one, where softmax has a slope.
# - Self-attention does not see the order of the words.
# - A causal mask hides later positions, a padding mask hides what fills up a batch. A forbidden score is
#   $-\infty$, and its weight zero.
# - Work grows with the square of the length. The memory need not: keep the largest score, a total and a
#   sum, and rescale.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let _the_ look for living beings, too: set its second feature, in `x`, to $0.5$. Which row of the
#    middle panel in the second figure changes most, and which entry of the output?
# 2. Put padding that is not zero into the names: let `one_hot_names` start from
#    `letters = np.full((len(names), max(map(len, names)), 26), np.nan)` and set each name's rows to zero
#    first (`letters[b, : len(name)] = 0`). With the padding mask its weight is zero. Why does the check of
#    jonah fail all the same?
# 3. From a blank cell at the end: write `window_mask(n, width)`, a boolean mask that lets each position
#    see itself and the `width - 1` positions before it, and count its `True`s for $n = 1000$ and a width
#    of 100. How does the count grow with $n$, and how does that of a causal mask?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.1: why the scores are divided
#   by $\sqrt d$. Reproduced: "with raw scores softmax has almost no slope left".
# - M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018. Reproduced:
#   test_blockwise_matches_the_library.
# - M. N. Rabe, C. Staats, "Self-attention does not need O(n²) memory", 2021. Reproduced: "twice the length
#   takes at most twice the memory in blocks".
# - T. Dao, D. Y. Fu, S. Ermon, A. Rudra, C. Ré, "FlashAttention: fast and memory-efficient exact attention
#   with IO-awareness", NeurIPS 2022: blocks on a GPU.
