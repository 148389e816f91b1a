# %% [markdown]
# # 12.2 Self-attention: every word asks every other
#
# "Ahab hunts the whale." To know what *hunts* means here, you look at who hunts and what is hunted, and
# you hardly look at *the*. Each word asks a question, every word offers an answer, and what a word takes
# home is a mixture of the answers, weighted by how well they fit its question.
#
# **You will build** attention with loops, with matrices and in blocks, its masks, and its backward pass.
# **You need** softmax (5.2), the gradient of a matrix product (6.4) and soft look-up (12.1).

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
# The word *hunts* asks "who is here?". Let the strength of that question be $2$, and let each word answer
# with $1$ if it is a living being, else $0$. Question times answer is a *score*: $2, 0, 0, 2$. Softmax
# turns scores into weights, $e^2 / (2 e^2 + 2) = 0.4404$ for *Ahab* and *whale*,
# $1 / (2 e^2 + 2) = 0.0596$ for the others. Let each word carry a number, its size: $2, 0, 0, 16$. What
# *hunts* takes home is $0.4404 \cdot 2 + 0.4404 \cdot 16 = 7.93$.

# %%
words = ["Ahab", "hunts", "the", "whale"]
question, answers, sizes = 2.0, [1.0, 0.0, 0.0, 1.0], [2.0, 0.0, 0.0, 16.0]
scores = [question * answer for answer in answers]
total = sum(math.exp(score) for score in scores)
weights = [math.exp(score) / total for score in scores]
taken = sum(weight * size for weight, size in zip(weights, sizes))
print("  ".join(f"{word} {weight:.2f}" for word, weight in zip(words, weights)), f"  taken {taken:.2f}")
assert abs(taken - 7.93) < 0.005

# %% [markdown]
# ## Query, key, value
#
# The question is called *query*, the answer that it is compared with is a *key*, and what is taken home
# is a *value*. Each is a vector. Query and key must have the same length $d$; their dot product is the
# score, divided by $\sqrt d$ for a reason that follows. With $T$ queries $q_t$ and $S$ keys $k_s$,
#
# $$\text{out}_t = \sum_s w_{ts}\, v_s, \qquad
#   w_{ts} = \frac{e^{q_t \cdot k_s / \sqrt d}}{\sum_{r} e^{q_t \cdot k_r / \sqrt d}} .$$


# %%
def attention_loops(query, key, value):
    """Scaled dot-product attention, one number at a time (Vaswani et al. 2017, section 3.2.1).

    query: T lists of d numbers, key: S lists of d, value: S lists of equal length. Returns T such lists.
    """
    out = []
    for q in query:
        scores = [sum(a * b for a, b in zip(q, k)) / math.sqrt(len(q)) for k in key]
        largest = max(scores)
        exps = [math.exp(score - largest) for score in scores]
        weights = [e / sum(exps) for e in exps]
        out.append([sum(w * v[i] for w, v in zip(weights, value)) for i in range(len(value[0]))])
    return out


# %% [markdown]
# In *self*-attention all three come from the same words. A word is a vector $x_t$ of $D$ features, and
# three weight matrices, which will be learned, turn it into its query, its key and its value. Here the
# features and the matrices are random.

# %%
n_features, d = 6, 3
x = rng.normal(size=(len(words), n_features))  # (T, D)
weight_q, weight_k, weight_v = rng.normal(size=(3, d, n_features)) / math.sqrt(n_features)  # (d, D) each
query, key, value = x @ weight_q.T, x @ weight_k.T, x @ weight_v.T  # (T, D) @ (D, d) -> (T, d) each
slow_out = np.array(attention_loops(query.tolist(), key.tolist(), value.tolist()))  # (T, d)
print(slow_out.round(3))
assert slow_out.shape == (4, 3)
assert np.all((slow_out >= value.min(axis=0)) & (slow_out <= value.max(axis=0)))  # averages, each of them

# %% [markdown]
# ## The same with matrices
#
# Let the rows of $Q$, $K$, $V$ and $W$ be the queries, keys, values and weights. All scores are one matrix
# product, $Q K^\top / \sqrt d$, and all outputs another, $W V$. NumPy's `@` takes the last two axes for
# the matrices and does the same for all axes before them. So the same lines serve a batch of $B$
# sentences, and $H$ attentions side by side, the *heads* of lesson 12.3: shapes $(B, H, T, d)$.
#
# A *mask* says who may look where: `True` means "may attend". A forbidden score becomes $-\infty$, so its
# weight is $0$. As the largest score is subtracted first, a row's largest exponential is $e^0$ and its
# total at least one, unless nothing is allowed: then it is zero, and the row's output is zero, too.


# %%
def attention(query, key, value, mask=None):
    """Scaled dot-product attention (Vaswani et al. 2017): the output (..., T, n) and the weights (..., T, S).

    query: (..., T, d), key: (..., S, d), value: (..., S, n), with the same leading axes; mask: boolean,
    broadcast against (..., T, S), True where a query may attend. A row of only False gives zeros.
    Raises ValueError where leading axes differ or the mask is not boolean.
    """
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        raise ValueError(f"leading axes differ: {query.shape}, {key.shape}, {value.shape}")
    if mask is not None and mask.dtype != bool:
        raise ValueError(f"the mask must be boolean, got {mask.dtype} of shape {mask.shape}")
    # (..., T, d) @ (..., d, S) -> (..., T, S)
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    lowest = np.finfo(scores.dtype).min  # keeps -inf - (-inf) from happening
    exps = np.exp(scores - np.maximum(scores.max(axis=-1, keepdims=True), lowest))
    weights = exps / np.maximum(exps.sum(axis=-1, keepdims=True), 1)
    return weights @ value, weights  # (..., T, S) @ (..., S, n) -> (..., T, n)


out, weights = attention(query, key, value)
print(f"largest difference to the loops {np.abs(out - slow_out).max():.1e}")
np.testing.assert_allclose(out, slow_out, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)

# %% [markdown]
# ## Why divide by √d
#
# If the components of a query and a key are independent with mean $0$ and variance $1$, each product
# $q_i k_i$ has variance $1$, and the sum of $d$ of them has variance $d$. So raw scores spread like
# $\sqrt d$. What softmax makes of such scores, we measure: the largest weight among $32$ keys, and how
# much the weights can still move, the sum of the slopes $\partial w_s / \partial z_s = w_s (1 - w_s)$.

# %%
sizes_d, n_draws = [4, 16, 64, 256, 1024], 400
spread, largest, slope = [], {"raw": [], "scaled": []}, {"raw": [], "scaled": []}
print(f"{'d':20s}{'spread':>12s}{'√d':>12s}{'top, raw':>12s}{'top, scaled':>12s}{'slope, raw':>12s}")
for d in sizes_d:
    queries, keys = rng.normal(size=(n_draws, 1, d)), rng.normal(size=(n_draws, 32, d))
    products = queries @ keys.swapaxes(-1, -2)  # (n, 1, d) @ (n, d, 32) -> (n, 1, 32)
    spread.append(products.std())
    for name, factor in (("raw", math.sqrt(d)), ("scaled", 1)):
        w = attention(factor * queries, keys, keys)[1]  # the factor undoes the division
        largest[name].append(w.max(axis=-1).mean())
        slope[name].append((w * (1 - w)).sum(axis=-1).mean())
    row = spread[-1], math.sqrt(d), largest["raw"][-1], largest["scaled"][-1], slope["raw"][-1]
    print(f"{d:<20d}" + "".join(f"{number:12.3g}" for number in row))
np.testing.assert_allclose(spread, np.sqrt(sizes_d), rtol=0.1)
assert slope["raw"][-1] < 0.1 and min(slope["scaled"]) > 0.8 and np.ptp(slope["scaled"]) < 0.05

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(sizes_d, spread, "o", color="C0", label="measured")
left.loglog(sizes_d, np.sqrt(sizes_d), "--", color="C1", label="√d")
left.set(xlabel="d", ylabel="spread of q · k", title="Dot products grow like √d …")
left.set_yticks([2, 4, 8, 16, 32], [2, 4, 8, 16, 32])
left.legend()
for (name, line), style in zip(slope.items(), ("o-", "s--")):
    right.semilogx(sizes_d, line, style, label=name)
right.set(xlabel="d", ylabel="slope left, sum of w (1 − w)", ylim=(0, 1.05))
right.set_title("… and unscaled, softmax can hardly move")
right.legend(loc="lower left")
for ax in (left, right):
    ax.set_xticks(sizes_d, sizes_d)
    ax.minorticks_off()
plt.show()

# %% [markdown]
# Unscaled, one key takes nearly all the weight before anything is learned, and softmax is nearly level
# there: hardly any gradient tells the query that it asked the wrong question. Divided by $\sqrt d$, the
# scores have the same spread for every $d$.
#
# ## Order does not count
#
# Nothing in the formula knows where a word stands. Shuffle the words, and the outputs are shuffled the
# same way: attention is *permutation equivariant*. "The whale hunts Ahab" is the same to it. Lesson 12.3
# gives the words their places.


# %%
def self_attention(x, weight_q, weight_k, weight_v, mask=None):
    """Attention of x (..., T, D) to itself with weights (d, D) each; returns (..., T, d) and (..., T, T)."""
    # (..., T, D) @ (D, d) -> (..., T, d)
    return attention(x @ weight_q.T, x @ weight_k.T, x @ weight_v.T, mask)


order = np.array([2, 3, 1, 0])
shuffled_out, _ = self_attention(x[order], weight_q, weight_k, weight_v)
print(" ".join(words[i] for i in order), f" largest difference {np.abs(shuffled_out - out[order]).max():.1e}")
np.testing.assert_allclose(shuffled_out, out[order], rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Two masks
#
# A model that predicts the next word must not look at it. The *causal* mask lets position $t$ attend to
# positions up to $t$: a triangle. A batch holds sentences of different lengths, filled up with padding:
# the *padding* mask hides those keys from everybody. We take three names, a letter a position.

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
chosen = [name for name in names if name in ("gabriel", "jonah", "peter")]
n_batch, n_longest = len(chosen), max(map(len, chosen))
letters = np.zeros((n_batch, n_longest, 26))  # (B, T, 26), one-hot; zero in the padding
for b, name in enumerate(chosen):
    letters[b, np.arange(len(name)), [ord(letter) - ord("a") for letter in name]] = 1
weight_q, weight_k, weight_v = rng.normal(size=(3, 5, 26))  # (d, D) each, d = 5
lengths = np.array([len(name) for name in chosen])
padding_mask = (np.arange(n_longest) < lengths[:, None])[:, None, :]  # (B, 1, S): one row for all queries
causal_mask = np.tri(n_longest, dtype=bool)  # (T, S)
masks = {"no mask": None, "causal": causal_mask, "padding": padding_mask}
masks["both"] = causal_mask & padding_mask  # (B, T, S)
batch = {name: self_attention(letters, weight_q, weight_k, weight_v, mask) for name, mask in masks.items()}
print(chosen, {name: weights.shape for name, (_, weights) in batch.items()})

# %% [markdown]
# Both must do what they promise. We change the letters after a position: with the causal mask no output
# up to there moves, not even in its last digit. And with the padding mask, a short name in the batch gets
# what it gets alone. The keys that are left share the whole weight, in the proportions that they had.

# %%
changed = letters.copy()
changed[:, 3:] += rng.normal(size=changed[:, 3:].shape)
causal_out, free_out = (
    self_attention(changed, weight_q, weight_k, weight_v, mask)[0] for mask in (causal_mask, None)
)
moved = {"causal": np.abs(causal_out - batch["causal"][0]), "free": np.abs(free_out - batch["no mask"][0])}
print({name: f"{change[:, :3].max():.2g}" for name, change in moved.items()}, "before the change")
assert moved["causal"][:, :3].max() == 0 and moved["causal"][:, 3:].min() > 0
assert moved["free"][:, :3].min() > 0

for b, name in enumerate(chosen):
    alone, _ = self_attention(letters[b, : len(name)], weight_q, weight_k, weight_v)
    np.testing.assert_allclose(batch["padding"][0][b, : len(name)], alone, rtol=1e-10, atol=1e-12)
    spoiled = np.abs(batch["no mask"][0][b, : len(name)] - alone).max()
    assert (spoiled > 0.01) == (len(name) < n_longest)

for name in ("causal", "padding", "both"):  # what is left of a row, scaled up to one
    left_over = batch["no mask"][1] * masks[name]  # (B, T, S)
    shared_out = left_over / left_over.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(batch[name][1], shared_out, rtol=1e-10, atol=1e-12)

# %%
shown = int(np.argmin(lengths))
ticks = list(chosen[shown].ljust(n_longest, "·"))
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, (name, (_, weights)) in zip(axes, batch.items()):
    image = ax.imshow(weights[shown], vmin=0, vmax=1, cmap="viridis")
    allowed = np.broadcast_to(True if masks[name] is None else masks[name], weights.shape)[shown]
    for t, s in np.argwhere(~allowed):
        ax.text(s, t, "×", color="white", ha="center", va="center")
    ax.set(title=name, xlabel="key", xticks=range(n_longest), xticklabels=ticks)
    ax.set(yticks=range(n_longest), yticklabels=ticks)
axes[0].set_ylabel("query")
fig.colorbar(image, ax=axes, label="weight")
fig.suptitle("A mask takes the weight of the forbidden keys (×) and shares it among the rest")
plt.show()

# %% [markdown]
# ## Backward
#
# A bar marks the gradient of the loss. The two products pass it as in lesson 6.4, and between them stands
# softmax, whose rows pass $\bar z = w \odot (\bar w - \sum_s \bar w_s w_s)$ (5.2):
#
# $$\bar V = W^\top \bar O, \quad \bar W = \bar O V^\top, \quad
#   \bar Z = W \odot \big(\bar W - \operatorname{rowsum}(\bar W \odot W)\big), \quad
#   \bar Q = \frac{\bar Z K}{\sqrt d}, \quad \bar K = \frac{\bar Z^\top Q}{\sqrt d} .$$
#
# Masks need no line of their own: where the weight is zero, $\bar Z$ is zero.


# %%
def attention_backward(out_grad, query, key, value, weights):
    """Gradients of query, key and value, each in its shape, from the one at the output (..., T, n)."""
    scale = 1 / math.sqrt(query.shape[-1])
    value_grad = weights.swapaxes(-1, -2) @ out_grad  # (..., S, T) @ (..., T, n) -> (..., S, n)
    weights_grad = out_grad @ value.swapaxes(-1, -2)  # (..., T, n) @ (..., n, S) -> (..., T, S)
    scores_grad = weights * (weights_grad - (weights_grad * weights).sum(axis=-1, keepdims=True))
    query_grad = scale * scores_grad @ key  # (..., T, S) @ (..., S, d) -> (..., T, d)
    key_grad = scale * scores_grad.swapaxes(-1, -2) @ query  # (..., S, T) @ (..., T, d) -> (..., S, d)
    return query_grad, key_grad, value_grad


# %% [markdown]
# Central differences examine every number, with a mask that forbids a third of the places and all of
# one row.

# %%
query, key = rng.normal(size=(2, 1, 4, 3)), rng.normal(size=(2, 1, 5, 3))  # (B, H, T, d), (B, H, S, d)
value, cotangent = rng.normal(size=(2, 1, 5, 2)), rng.normal(size=(2, 1, 4, 2))
mask = rng.random((2, 1, 4, 5)) > 1 / 3
mask[1, 0, 2] = False
out, weights = attention(query, key, value, mask)
gradients = attention_backward(cotangent, query, key, value, weights)
largest = 0.0
for argument, gradient in zip((query, key, value), gradients, strict=True):
    for index in np.ndindex(argument.shape):
        kept, sides = argument[index], []
        for nudged in (kept + 1e-5, kept - 1e-5):
            argument[index] = nudged
            sides.append((attention(query, key, value, mask)[0] * cotangent).sum())
        argument[index] = kept
        largest = max(largest, abs((sides[0] - sides[1]) / 2e-5 - gradient[index]))
print(f"{sum(gradient.size for gradient in gradients)} gradients, largest difference {largest:.1e}")
assert largest < 1e-8 and not out[1, 0, 2].any() and not gradients[0][1, 0, 2].any()

# %% [markdown]
# ## The same in PyTorch
#
# `F.scaled_dot_product_attention` takes our shapes and our masks, `True` for "may attend", and gives zero
# for a row without keys. `is_causal=True` spares the triangle. The same arrays go in; outputs and
# gradients are compared.

# %%
inputs = [torch.tensor(array, requires_grad=True) for array in (query, key, value)]
torch_out = F.scaled_dot_product_attention(*inputs, attn_mask=torch.from_numpy(mask))
torch_gradients = torch.autograd.grad(torch_out, inputs, torch.from_numpy(cotangent))
largest = 0.0
for ours, theirs in zip((out, *gradients), (torch_out.detach(), *torch_gradients), strict=True):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(ours - theirs.numpy()).max())
causal_out, _ = attention(query, query, query, np.tri(4, dtype=bool))
torch_out = F.scaled_dot_product_attention(*[torch.from_numpy(query)] * 3, is_causal=True)
np.testing.assert_allclose(causal_out, torch_out.numpy(), rtol=1e-10, atol=1e-12)
print(f"largest difference {largest:.1e}")

# %% [markdown]
# ## The same, faster
#
# `attention` walks several times over $B \cdot H \cdot T^2$ numbers, more than a processor keeps at hand.
# One head's share is small enough. So we finish a head before we begin the next, work in place, and
# divide the $n$ columns of the output instead of the $S$ columns of the weights. The scores lie on their
# side, keys down and queries across: the largest score of every query is then found by comparing whole
# rows, which a processor does many numbers at a time.


# %%
def attention_fast(query, key, value, mask=None, keep=True):
    """`attention`, one head at a time: the output and, to keep, what `attention_fast_backward` needs."""
    (*leading, n_queries, d), n_keys, dtype = query.shape, key.shape[-2], query.dtype
    exps = np.empty((*(leading if keep else [1] * len(leading)), n_keys, n_queries), dtype)
    total = np.empty((*leading, n_queries), dtype)
    out = np.empty((*leading, n_queries, value.shape[-1]), dtype)
    ones, lowest, scale = np.ones(n_keys, dtype), np.finfo(dtype).min, 1 / math.sqrt(d)
    if mask is not None:
        mask = np.atleast_2d(mask).swapaxes(-1, -2).copy()  # (..., T, S) -> (..., S, T)
        closed = np.where(mask, dtype.type(0), dtype.type(-np.inf))
        closed = np.broadcast_to(closed, (*leading, n_keys, n_queries))
    for head in np.ndindex(*leading):
        z = exps[head if keep else (0,) * len(head)]  # (S, T), a view: computed in place
        np.matmul(key[head], (query[head] * scale).T, out=z)  # (S, d) @ (d, T) -> (S, T)
        if mask is not None:
            z += closed[head]
        z -= np.maximum(z.max(axis=0), lowest)  # (T,)
        np.exp(z, out=z)
        total[head] = np.maximum(ones @ z, 1)  # (S,) @ (S, T) -> (T,)
        np.matmul(z.T, value[head], out=out[head])  # (T, S) @ (S, n) -> (T, n)
    out /= total[..., None]
    return out, (query, key, value, exps, total, out) if keep else None


# %% [markdown]
# Backward, the row sum of $\bar W \odot W$ needs no weights: $\sum_s \bar w_s w_s = \sum_s (\bar o \cdot
# v_s)\, w_s = \bar o \cdot o$. And the total that we did not divide by goes into $\bar O$, which has few
# columns.


# %%
def attention_fast_backward(out_grad, cache):
    """Gradients of query, key and value from the one at the output and what `attention_fast` kept."""
    query, key, value, exps, total, out = cache
    query_grad, key_grad, value_grad = (np.empty_like(array) for array in (query, key, value))
    buffer, scale = np.empty(exps.shape[-2:], exps.dtype), 1 / math.sqrt(query.shape[-1])
    out_grad = out_grad / total[..., None]
    inner = (out_grad * out).sum(axis=-1)  # (..., T)
    for head in np.ndindex(*exps.shape[:-2]):
        np.matmul(exps[head], out_grad[head], out=value_grad[head])  # (S, T) @ (T, n) -> (S, n)
        z = np.matmul(value[head], out_grad[head].T, out=buffer)  # (S, n) @ (n, T) -> (S, T)
        z -= inner[head]
        z *= exps[head]
        np.matmul(z.T, key[head], out=query_grad[head])  # (T, S) @ (S, d) -> (T, d)
        np.matmul(z, query[head], out=key_grad[head])  # (S, T) @ (T, d) -> (S, d)
    query_grad *= scale
    key_grad *= scale
    return query_grad, key_grad, value_grad


fast_out, cache = attention_fast(query, key, value, mask)
fast_gradients = attention_fast_backward(cotangent, cache)
for fast, plain in zip((fast_out, *fast_gradients), (out, *gradients), strict=True):
    np.testing.assert_allclose(fast, plain, rtol=1e-10, atol=1e-12)
print("the same outputs and gradients, head by head")

# %% [markdown]
# ## Without the matrix
#
# The weights of $T$ positions are $T^2$ numbers a head, and yet every row is used once and thrown away.
# Can we see the keys in blocks and never hold a whole row? Softmax wants the largest score first. The
# *online softmax* starts with what it has: the largest $m$ so far, the total $\ell = \sum e^{z - m}$ and
# the sum $a = \sum e^{z - m} v$. Where a later block has a larger score $m'$, what was summed is too
# large by a known factor: multiply $\ell$ and $a$ by $e^{m - m'}$ and go on.
#
# With scores $1, 2$, then $3$ and values $10, 20, 30$: after the first block $m = 2$, $\ell = e^{-1} + 1$,
# $a = 10 e^{-1} + 20$. The second shrinks both by $e^{-1}$ and adds $1$ and $30$.

# %%
m, total, acc = 2, math.exp(-1) + 1, 10 * math.exp(-1) + 20
total, acc = total * math.exp(2 - 3) + 1, acc * math.exp(2 - 3) + 30
at_once, _ = attention(np.ones((1, 1)), np.array([[1.0], [2], [3]]), np.array([[10.0], [20], [30]]))
print(f"in blocks {acc / total:.6f}, at once {at_once.item():.6f}")
assert abs(acc / total - at_once.item()) < 1e-12

# %% [markdown]
# All heads go together, a block of keys against a block of queries, the scores again on their side. With
# the causal mask, blocks of later keys are never visited, which saves nearly half of the work. On a GPU,
# FlashAttention (Dao et al. 2022) does the same with blocks that fit into the small, fast memory beside the
# arithmetic units; `scaled_dot_product_attention` calls such a kernel where it can.


# %%
def attention_blockwise(query, key, value, causal=False, query_block=64, key_block=256):
    """The output of `attention` without its weights (Milakov and Gimelshein 2018; Dao et al. 2022).

    query: (..., T, d), key: (..., S, d), value: (..., S, n); causal: query t attends to keys 0 to t.
    """
    (*leading, n_queries, d), n_keys, dtype = query.shape, key.shape[-2], query.dtype
    out = np.empty((*leading, n_queries, value.shape[-1]), dtype)
    query = (query * (1 / math.sqrt(d))).swapaxes(-1, -2)  # (..., d, T)
    value = value.swapaxes(-1, -2)  # (..., n, S)
    ones = np.ones((1, min(key_block, n_keys)), dtype)
    for left in range(0, n_queries, query_block):
        right = min(left + query_block, n_queries)
        end = min(right, n_keys) if causal else n_keys
        largest, total, acc = -math.inf, 0.0, 0.0  # soon (..., 1, cols), the same, and (..., n, cols)
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


# %% [markdown]
# Blocks of awkward sizes must not show in the result.

# %%
query, key, value = rng.normal(size=(3, 2, 3, 37, 4))  # (B, H, T, d) each
for causal, blocks in ((False, (8, 5)), (True, (8, 5)), (True, (5, 64)), (True, (64, 7))):
    plain, _ = attention(query, key, value, np.tri(37, dtype=bool) if causal else None)
    in_blocks = attention_blockwise(query, key, value, causal, *blocks)
    np.testing.assert_allclose(in_blocks, plain, rtol=1e-10, atol=1e-12)
print(f"blocks of {blocks}: largest difference {np.abs(in_blocks - plain).max():.1e}")

# %% [markdown]
# ## The price of asking everybody
#
# We double the length again and again, one causal head in float32, and measure the memory that NumPy asks
# for at most, and the time.


# %%
def cost(f, *arguments):
    """Most bytes that NumPy holds at once inside f(*arguments), and the shortest of three times in s."""
    tracemalloc.start()
    f(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        f(*arguments)
        times.append(time.perf_counter() - started)
    return peak, min(times)


lengths, costs = [256, 512, 1024, 2048, 4096], {"whole": [], "blocks": []}
print(f"{'positions':20s}{'MB, whole':>12s}{'MB, blocks':>12s}{'ms, whole':>12s}{'ms, blocks':>12s}")
for n in lengths:
    arrays = rng.normal(size=(3, 1, 1, n, 32)).astype(np.float32)  # (B, H, T, d) each
    mask = (np.arange(n)[:, None] <= np.arange(n)).T  # (S, T) -> (T, S), cheap to turn back on its side
    costs["whole"].append(cost(attention_fast, *arrays, mask))
    costs["blocks"].append(cost(attention_blockwise, *arrays, True))
    (peak, seconds), (block_peak, block_seconds) = costs["whole"][-1], costs["blocks"][-1]
    row = peak / 1e6, block_peak / 1e6, 1e3 * seconds, 1e3 * block_seconds
    print(f"{n:<20d}" + "".join(f"{number:12.3g}" for number in row))
growth = {name: pairs[-1][0] / pairs[-2][0] for name, pairs in costs.items()}
print(f"twice the length takes {growth['whole']:.1f} and {growth['blocks']:.1f} times the memory")
assert growth["whole"] > 3.5 and growth["blocks"] < 2.3

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, pairs), style in zip(costs.items(), ("o-", "s--")):
    peaks, seconds = np.array(pairs).T
    left.loglog(lengths, peaks / 1e6, style, label=name)
    right.loglog(lengths, 1e3 * seconds, style, label=name)
for ax, unit in ((left, "peak memory (MB)"), (right, "time (ms)")):
    ax.set(xlabel="positions", ylabel=unit, xticks=lengths, xticklabels=lengths)
    ax.minorticks_off()
left.set_title("Blocks spare the square of memory …")
right.set_title("… not the square of the work")
left.legend()
plt.show()

# %% [markdown]
# ## What to remember
#
# - Query asks, key answers, value is what is taken home: $\operatorname{softmax}(Q K^\top / \sqrt d)\, V$.
# - $\sqrt d$ keeps the scores' spread at one, where softmax can still move.
# - Attention sees a set. Masks say who may look where, and a row without keys gives zero.
# - Work grows with the square of the length. The memory need not: keep the largest score, a total and a
#   sum, and rescale.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Make all values equal. What is the output, and which gradients become zero?
# 2. Put `np.nan` into the padded part of `letters`. Why does a weight of zero not save you?
# 3. Run `attention_blockwise` with `key_block=8` on a thousand positions. What costs the time now?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.1.
# - M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018.
# - M. N. Rabe, C. Staats, "Self-attention does not need O(n²) memory", 2021.
# - T. Dao, D. Y. Fu, S. Ermon, A. Rudra, C. Ré, "FlashAttention: fast and memory-efficient exact attention
#   with IO-awareness", NeurIPS 2022.
