# %% [markdown]
# # 12 Solutions: write attention, find what peeks
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different, and if the
# check says that it is done, it is right.

# %%
import numpy as np
import torch
from torch import nn

# %% [markdown]
# ## 1 Attention with a mask
#
# A hidden score becomes minus infinity _before_ the softmax, so the other weights still sum to one.
# Taking each query's largest score away changes no weight, and keeps the exponentials from overflowing.


# %%
def masked_attention(query, key, value, allowed):
    """Output (T, d_v) from query (T, d), key (S, d), value (S, d_v) and allowed (T, S), boolean."""
    scores = query @ key.T / np.sqrt(query.shape[1])  # (T, d) @ (d, S) -> (T, S)
    scores = np.where(allowed, scores, -np.inf)
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = exps / exps.sum(axis=1, keepdims=True)
    return weights @ value  # (T, S) @ (S, d_v) -> (T, d_v)


# %% [markdown]
# ## 2 How many pairs may see each other?
#
# Causal: word $t$ sees $t$ words, and $1 + 2 + 3 + 4 = 10$. Window: the first word sees itself, each
# other one two words, $1 + 2 + 2 + 2 = 7$. Packed: two causal triangles, $3 + 6 = 9$. Padded: all four
# queries of each text, also those at padded places, see its real words, $4 \cdot 4 + 4 \cdot 2 = 24$. The
# library's `True` means _blocked_, so its mask has the other $16 - 10 = 6$ entries.


# %%
def mask_counts():
    """Five whole numbers."""
    return {"causal": 10, "window": 7, "packed": 9, "padded": 24, "library": 6}


# %% [markdown]
# ## 3 Into heads and back
#
# First the features of each word are cut into heads, while they still are neighbours in memory, and then
# the head axis moves before the words. The way back is the same in reverse order.


# %%
def split_and_join(x, n_heads):
    """(heads (B, H, T, D / H), x again (B, T, D), made from these heads) from x (B, T, D)."""
    n_batch, n, n_features = x.shape
    heads = x.reshape(n_batch, n, n_heads, -1).swapaxes(1, 2)  # (B, T, D) -> (B, T, H, d) -> (B, H, T, d)
    joined = heads.swapaxes(1, 2).reshape(n_batch, n, n_features)  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)
    return heads, joined


# %% [markdown]
# ## 4 Sines in two halves
#
# The order of the features is a convention: a weight matrix behind the encoding can exchange them. But
# weights that were trained with one order are wrong with the other.


# %%
def halved_sinusoids(n, n_features, base=10000.0):
    """Positional encodings (n, n_features), sines in the first half, cosines in the second."""
    if n_features % 2:
        raise ValueError(f"sines and cosines need an even number of features, got {n_features}")
    frequencies = base ** (-2 * np.arange(n_features // 2) / n_features)  # (D / 2,)
    angles = np.arange(n)[:, None] * frequencies  # (T, 1) * (D / 2,) -> (T, D / 2)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)  # (T, D)


# %% [markdown]
# ## 5 A smoothed loss
#
# The cross-entropy is linear in the targets. So the loss is $1 - \varepsilon$ times the usual one plus
# $\varepsilon$ times the mean of $-\ln p$ over all classes. The logarithm of the softmax is taken in one
# piece: the logit less the logarithm of the sum.


# %%
def smoothed_cross_entropy(logits, labels, smoothing):
    """The mean loss, a number, for logits (B, K), labels (B,) and a smoothing from 0 to 1."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (B, K)
    right = log_p[np.arange(len(labels)), labels]  # (B,)
    return -((1 - smoothing) * right + smoothing * log_p.mean(axis=1)).mean()


# %% [markdown]
# ## 6 A pre-norm block
#
# The stream itself is never normalized, so the input reaches the end of the block unchanged, plus what
# the two sublayers add. That is why deep stacks of such blocks train (12.5).


# %%
def pre_norm_block(x, attend, feed, norm_1, norm_2):
    """The stream (T, D) after attention and feed-forward network."""
    x = x + attend(norm_1(x))
    return x + feed(norm_2(x))


# %% [markdown]
# ## 7 One token at a time
#
# The new token's key and value go into the cache first, because a token attends to itself. No mask is
# needed: what comes later is not there yet. The cost of a step grows with the length of the text, not
# with its square.


# %%
def cached_step(x, weights, cache):
    """(output (d,), new cache) for the new token x (D,); weights: W_q, W_k, W_v, each (d, D).

    cache: (keys (t, d), values (t, d)) of the tokens before, t may be 0; it is not changed.
    """
    query, key, value = (weight @ x for weight in weights)  # (d, D) @ (D,) -> (d,)
    keys = np.concatenate([cache[0], key[None]])  # (t + 1, d)
    values = np.concatenate([cache[1], value[None]])  # (t + 1, d)
    scores = keys @ query / np.sqrt(len(query))  # (t + 1, d) @ (d,) -> (t + 1,)
    exps = np.exp(scores - scores.max())
    return exps / exps.sum() @ values, (keys, values)  # (t + 1,) @ (t + 1, d) -> (d,)


# %% [markdown]
# ## 8 Merges by hand
#
# Before any merge the pairs are `ab` three times (twice in `abab`), `bc` three times, `ba` once. The
# alphabet decides for `ab`. Then the words are `ab ab`, `ab c`, `b c`, `b c`, and `bc` stands there
# twice, because the first `b` of `abc` now belongs to `ab`. To encode `abcb`, `ab` is merged first. The
# `c` then has no `b` before it.


# %%
def merges_by_hand():
    """first, second: the merged pairs as strings of letters, such as "xy"; first_count, second_count: how
    often each stood there when it was merged; tokens: the tokens of "abcb", joined by spaces.
    """
    return {"first": "ab", "first_count": 3, "second": "bc", "second_count": 2, "tokens": "ab c b"}


# %% [markdown]
# ## 9 Find the four faults
#
# D: in (B, H, T, d) axis 1 has the heads, so the scores are divided by the root of their number. E:
# `triu(2)` begins two places right of the diagonal, and leaves the next token visible. H: `weights @ v`
# is (B, H, T, d), and without `transpose(1, 2)` before it, `reshape` gives a word the features of other
# words. J: the logits of a place are compared with the token at that place, which the model has read, so
# copying is enough: the target is `tokens[:, 1:]`, the logits `[:, :-1]`.


# %%
def four_faults():
    """For each letter "right" or the name of its fault."""
    right = dict.fromkeys("ABCFGI", "right")
    faults = {"D": "wrong axis", "E": "peeks", "H": "mixes heads", "J": "wrong target"}
    return right | faults


# %% [markdown]
# ## 10 Your weights in the library's layer
#
# The library stacks query, key and value in this order into `in_proj_weight`. Two defaults differ from
# most of today's models: post-norm, and dropout of a tenth, which `eval()` would hide and `train()` bring
# back.


# %%
def library_block(weights, n_heads):
    """An `nn.TransformerEncoderLayer` with these weights, in eval mode."""
    n_features = len(weights["norm_1"])
    n_hidden = len(weights["hidden"])
    options = {"dropout": 0.0, "batch_first": True, "norm_first": True, "dtype": torch.float64}
    layer = nn.TransformerEncoderLayer(n_features, n_heads, n_hidden, **options)
    state = {
        "self_attn.in_proj_weight": torch.cat([weights[name] for name in ("query", "key", "value")]),
        "self_attn.in_proj_bias": torch.cat([weights[f"{name}_bias"] for name in ("query", "key", "value")]),
    }
    places = {"self_attn.out_proj": "out", "linear1": "hidden", "linear2": "back"}
    places |= {"norm1": "norm_1", "norm2": "norm_2"}
    for place, name in places.items():
        state[f"{place}.weight"] = weights[name]
        state[f"{place}.bias"] = weights[f"{name}_bias"]
    layer.load_state_dict(state)
    return layer.eval()
