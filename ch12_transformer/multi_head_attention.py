# %% [markdown]
# # 12.3 Multi-head attention: several questions at once, and a place for every word
#
# "Ahab hunts the whale." To understand *hunts*, you ask two questions, who hunts and who is hunted, and
# you must not mix up the answers. One attention returns one average. Several, side by side, return
# several. And neither knows that *Ahab* came first: attention sees a set, so the places must be told.
#
# **You will build** multi-head attention, from a list of heads to one fused projection, and three ways to
# give words their places. **You need** self-attention (12.2) and modules (4.3).

# %%
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)
torch.manual_seed(0)
cpu_generator = torch.Generator().manual_seed(0)

# %% [markdown]
# ## On paper first
#
# Let the hunter's value be $1$ and the prey's $9$. One head that looks at both with weights $\frac12$ and
# $\frac12$ brings home $5$. So it does for $(9, 1)$ and for $(5, 5)$: who is who is lost. Uneven weights
# do not help: $\frac14 \cdot 1 + \frac34 \cdot 9 = 7$, and $(7, 7)$ gives $7$, too. One equation cannot
# hold two unknowns. Two heads, with weights $(1, 0)$ and $(0, 1)$, bring home both.

# %%
pairs = np.array([[1.0, 9.0], [9.0, 1.0], [5.0, 5.0], [7.0, 7.0]])  # (4, 2)
even, uneven = pairs @ [0.5, 0.5], pairs @ [0.25, 0.75]  # (4, 2) @ (2,) -> (4,)
two_heads = pairs @ np.eye(2)  # (4, 2) @ (2, 2) -> (4, 2)
print("even  ", even, "\nuneven", uneven, "\ntwo heads", two_heads.tolist())
assert even[0] == even[1] == even[2] == 5 and uneven[0] == uneven[3] == 7
assert np.array_equal(two_heads, pairs)

# %% [markdown]
# ## A list of heads
#
# A *head* is the attention of lesson 12.2 with weight matrices of its own. To keep the cost of one wide
# attention, $H$ heads share the width: each works with $d = D / H$ features. Their outputs are laid side
# by side, $D$ features again, and a last matrix mixes them:
#
# $$\operatorname{head}_h = \operatorname{attention}(x W_h^{Q\top},\, x W_h^{K\top},\, x W_h^{V\top}),
#   \qquad \text{out} = [\operatorname{head}_1, \dots, \operatorname{head}_H]\, W^{O\top} .$$


# %%
def attention(query, key, value, mask=None):
    """Scaled dot-product attention (12.2): the output (..., T, d) and the weights (..., T, S).

    query: (..., T, d), key and value: (..., S, d); mask: boolean, True where a query may attend.
    """
    query = query * (1 / math.sqrt(query.shape[-1]))
    # on their side, as in 12.2's fast form: (..., S, d) @ (..., d, T) -> (..., S, T)
    weights = key @ query.swapaxes(-1, -2)
    if mask is not None:
        weights = np.where(np.atleast_2d(mask).swapaxes(-1, -2), weights, weights.dtype.type(-np.inf))
    weights -= np.maximum(weights.max(axis=-2, keepdims=True), np.finfo(weights.dtype).min)
    np.exp(weights, out=weights)
    weights /= np.maximum(weights.sum(axis=-2, keepdims=True), 1)
    weights = weights.swapaxes(-1, -2)  # (..., S, T) -> (..., T, S)
    return weights @ value, weights  # (..., T, S) @ (..., S, d) -> (..., T, d)


def list_of_heads(x, heads, out_weight, mask=None):
    """One head after the other; x: (B, T, D), heads: three (d, D) matrices a head, out_weight: (D, D)."""
    outs = []
    for weight_q, weight_k, weight_v in heads:
        # (B, T, D) @ (D, d) -> (B, T, d)
        out, _ = attention(x @ weight_q.T, x @ weight_k.T, x @ weight_v.T, mask)
        outs.append(out)
    return np.concatenate(outs, axis=-1) @ out_weight.T  # H of (B, T, d) -> (B, T, D) @ (D, D)


# %%
n_batch, n, n_features, n_heads = 2, 5, 12, 3
d = n_features // n_heads
x = rng.normal(size=(n_batch, n, n_features))  # (B, T, D)
heads = [rng.normal(size=(3, d, n_features)) / math.sqrt(n_features) for _ in range(n_heads)]
out_weight = rng.normal(size=(n_features, n_features)) / math.sqrt(n_features)  # (D, D)
slow_out = list_of_heads(x, heads, out_weight)
print(x.shape, "->", slow_out.shape)

# %% [markdown]
# ## One fused projection
#
# Nine small products, all with the same $x$: stack the matrices, and they are one. First the queries of
# all heads, then all keys, then all values, $(3D, D)$. The result is cut into $D$ columns each, those into
# heads, and the head axis moves to the front, where `@` treats it like a batch: $(B, H, T, d)$.
#
# The keys and values may come from another sequence, here called `context` (12.1 gave that name to the
# average). That is *cross-attention*, which a translator needs: the words being written ask those that
# were read.


# %%
def split_heads(x, n_heads):
    """(B, T, D) -> (B, H, T, D / H)."""
    n_batch, n, n_features = x.shape
    return x.reshape(n_batch, n, n_heads, n_features // n_heads).swapaxes(1, 2)


def join_heads(x):
    """(B, H, T, d) -> (B, T, H * d)."""
    n_batch, n_heads, n, d = x.shape
    return x.swapaxes(1, 2).reshape(n_batch, n, n_heads * d)  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)


def multi_head_attention(x, parameters, n_heads, mask=None, context=None):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2): the output (B, T, D), weights (B, H, T, S).

    x: (B, T, D), asks; context: (B, S, D), is asked, x itself by default; parameters: weight (3D, D) and
    bias (3D,) of the queries, keys and values, weight (D, D) and bias (D,) of the output; mask: boolean,
    broadcast against (B, H, T, S), True where a query may attend.
    Raises ValueError where H does not divide D.
    """
    in_weight, in_bias, out_weight, out_bias = parameters
    n_features = x.shape[-1]
    if n_features % n_heads:
        raise ValueError(f"{n_heads} heads cannot share {n_features} features")
    if context is None:
        projected = x @ in_weight.T + in_bias  # (B, T, D) @ (D, 3D) -> (B, T, 3D)
        query, key, value = np.split(projected, 3, axis=-1)
    else:
        query = x @ in_weight[:n_features].T + in_bias[:n_features]  # (B, T, D) @ (D, D) -> (B, T, D)
        projected = context @ in_weight[n_features:].T + in_bias[n_features:]  # (B, S, D) @ (D, 2D)
        key, value = np.split(projected, 2, axis=-1)
    query, key, value = (split_heads(array, n_heads) for array in (query, key, value))
    out, weights = attention(query, key, value, mask)
    return join_heads(out) @ out_weight.T + out_bias, weights  # (B, T, D) @ (D, D) -> (B, T, D)


# %%
in_weight = np.concatenate([np.concatenate([head[i] for head in heads]) for i in range(3)])  # (3D, D)
parameters = in_weight, np.zeros(3 * n_features), out_weight, np.zeros(n_features)
out, weights = multi_head_attention(x, parameters, n_heads)
print(f"weights {weights.shape}, largest difference to the list {np.abs(out - slow_out).max():.1e}")
np.testing.assert_allclose(out, slow_out, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The same in PyTorch
#
# As a module, with the library's `scaled_dot_product_attention` in the middle. It is written once and
# used below for every experiment, so it has a place for something to come: `turn`, a function of the
# queries and of the keys.


# %%
class MultiHeadAttention(nn.Module):
    """Multi-head attention: x (B, T, D) asks context (B, S, D), itself by default; returns (B, T, D).

    mask: boolean, broadcast against (B, H, T, S), True where a query may attend; is_causal: a triangle;
    turn: (B, H, T, d) -> (B, H, T, d), applied to queries and keys.
    Raises ValueError where n_heads does not divide n_features.
    """

    def __init__(self, n_features, n_heads, turn=None):
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_features} features")
        self.n_heads, self.turn = n_heads, turn
        self.project_in = nn.Linear(n_features, 3 * n_features)
        self.project_out = nn.Linear(n_features, n_features)

    def forward(self, x, context=None, mask=None, is_causal=False):
        if context is None:
            projected = self.project_in(x).chunk(3, dim=-1)  # (B, T, D) -> (B, T, 3D) -> three (B, T, D)
        else:
            weights, biases = self.project_in.weight.chunk(3), self.project_in.bias.chunk(3)
            sources = x, context, context  # (B, T, D), (B, S, D), (B, S, D)
            projected = [F.linear(*triple) for triple in zip(sources, weights, biases)]
        # (B, T, D) -> (B, T, H, d) -> (B, H, T, d)
        query, key, value = (p.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for p in projected)
        if self.turn:
            query, key = self.turn(query), self.turn(key)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=is_causal)
        return self.project_out(out.transpose(1, 2).flatten(2))  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)


# %% [markdown]
# `nn.MultiheadAttention` has its own habits. Its masks are the other way round: `True` means *blocked*,
# both in `attn_mask` $(T, S)$ and in `key_padding_mask` $(B, S)$, and a row without keys becomes NaN. It
# returns the weights averaged over heads, unless told otherwise. The same weights go into all three.

# %%
reference = nn.MultiheadAttention(n_features, n_heads, batch_first=True, dtype=torch.float64)
model = MultiHeadAttention(n_features, n_heads).double()
biases = rng.normal(size=3 * n_features), rng.normal(size=n_features)
parameters = in_weight, biases[0], out_weight, biases[1]
with torch.no_grad():
    for module in (reference, model):
        for theirs, ours in zip(module.parameters(), parameters, strict=True):
            theirs.copy_(torch.from_numpy(ours))

causal = np.tri(n, dtype=bool)  # (T, S)
padding = np.arange(n) < np.array([[n], [n - 2]])  # (B, S): the second sentence is shorter
mask = causal & padding[:, None, None]  # (T, S) & (B, 1, 1, S) -> (B, 1, T, S)
out, weights = multi_head_attention(x, parameters, n_heads, mask)

torch_x, torch_mask = torch.from_numpy(x), torch.from_numpy(mask)
blocked = {"attn_mask": torch.from_numpy(~causal), "key_padding_mask": torch.from_numpy(~padding)}
torch_out, torch_weights = reference(torch_x, torch_x, torch_x, average_attn_weights=False, **blocked)
_, average = reference(torch_x, torch_x, torch_x, **blocked)
model_out = model(torch_x, mask=torch_mask)

# %% [markdown]
# Compared are the outputs, the weights of each head and their average, and the gradients of both modules
# against a random cotangent.

# %%
cotangent = torch.from_numpy(rng.normal(size=out.shape))
pairs = [(out, torch_out), (out, model_out), (weights, torch_weights), (weights.mean(axis=1), average)]
for ours, theirs in zip(
    torch.autograd.grad(model_out, list(model.parameters()), cotangent),
    torch.autograd.grad(torch_out, list(reference.parameters()), cotangent),
    strict=True,
):
    pairs.append((ours.numpy(), theirs))
largest = 0.0
for ours, theirs in pairs:
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(ours - theirs).max())
print(f"{len(pairs)} comparisons, largest difference {largest:.1e}")

# %% [markdown]
# ## Two look-ups in one layer
#
# The example on paper as a task. Eight items carry random vectors, one is marked *hunter* and one *prey*,
# and a last position asks for both vectors. One attention layer, then a linear read-out. Whatever its
# weights $a$ and $b$ for the two, a single head brings home $a u + b v$. The best linear guess of $u$
# from that leaves the share $b^2 / (a^2 + b^2)$ of its variance, that of $v$ the share $a^2 / (a^2 +
# b^2)$: a half on average.


# %%
def two_look_ups(batch_size, generator, n_items=8, size=6):
    """Items (B, n_items + 1, size + 3), the last one asks, and what it asks for (B, 2 * size)."""
    values = torch.randn(batch_size, n_items, size, generator=generator)
    hunter, prey = torch.rand(batch_size, n_items, generator=generator).argsort(dim=1)[:, :2].T  # (B,) each
    rows = torch.arange(batch_size)
    x = torch.zeros(batch_size, n_items + 1, size + 3)
    x[:, :-1, :size] = values
    x[rows, hunter, size] = x[rows, prey, size + 1] = x[:, -1, size + 2] = 1.0
    return x, torch.cat([values[rows, hunter], values[rows, prey]], dim=1)


class LookUp(nn.Module):
    """An embedding, one multi-head attention, a linear read-out of the last position: (B, T, D) -> (B, n)."""

    def __init__(self, n_heads, n_in=9, n_features=32, n_out=12):
        super().__init__()
        self.embed = nn.Linear(n_in, n_features)
        self.attention = MultiHeadAttention(n_features, n_heads)
        self.read_out = nn.Linear(n_features, n_out)

    def forward(self, x):
        return self.read_out(self.attention(self.embed(x))[:, -1])  # (B, T, D) -> (B, D) -> (B, n)


def fit(model, loss_of_a_batch, n_steps):
    """Adam for n_steps on loss_of_a_batch(model), which draws a fresh batch; returns the losses."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(n_steps):
        loss = loss_of_a_batch(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %%
look_up_curves, test_errors = {}, {}
test_x, test_y = two_look_ups(2000, torch.Generator().manual_seed(99))
for n_heads in (1, 2, 4):
    torch.manual_seed(1)
    model, generator = LookUp(n_heads), torch.Generator().manual_seed(1)

    def look_up_loss(model, generator=generator):
        x, y = two_look_ups(128, generator)
        return F.mse_loss(model(x), y)

    look_up_curves[n_heads] = fit(model, look_up_loss, n_steps=300)
    with torch.no_grad():
        test_errors[n_heads] = F.mse_loss(model(test_x), test_y).item()
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{n_heads} heads, {n_parameters} parameters: test error {test_errors[n_heads]:.4f}")
assert test_errors[1] > 0.3 and max(test_errors[2], test_errors[4]) < 0.02

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (n_heads, losses), style in zip(look_up_curves.items(), ("-", "--", "-.")):
    ax.semilogy(losses, style, label=f"{n_heads} head{'s' * (n_heads > 1)}")
ax.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step", ylabel="squared error", title="One head cannot keep two answers apart")
ax.legend()
plt.show()

# %% [markdown]
# The number of parameters is the same for all three. One head stays near a half (a little below it at
# times: its weights may depend on the vectors, too, and so tell something about them). The second head
# makes the error vanish.
#
# ## Without places, order is invisible
#
# The question stands last, so its answer could depend on the order of the items before it. It does not:
# shuffle them, and the trained model gives the same answer.

# %%
order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    straight = model(test_x)
    shuffled = model(torch.cat([test_x[:, order], test_x[:, -1:]], dim=1))
largest = (straight - shuffled).abs().max().item()
print(f"order {order.tolist()}: largest difference {largest:.1e}")
assert largest < 1e-4

# %% [markdown]
# ## Sines and cosines
#
# So a position must be *in* the vectors. A clock tells time with hands of different speeds: the fast one
# tells minutes apart, the slow one hours. Give position $t$ a clock of $D / 2$ hands, each a sine and a
# cosine, with speeds from $1$ down to nearly $1 / 10000$, and add it to the word's features:
#
# $$\operatorname{PE}(t)_{2i} = \sin(\omega_i t), \quad \operatorname{PE}(t)_{2i + 1} = \cos(\omega_i t),
#   \qquad \omega_i = 10000^{-2i / D} .$$


# %%
def sinusoidal(n, n_features):
    """Positional encoding (T, D) of Vaswani et al. 2017, section 3.5; raises ValueError for an odd D."""
    if n_features % 2:
        raise ValueError(f"sines and cosines come in pairs, got {n_features} features")
    frequencies = 10000.0 ** (-np.arange(0, n_features, 2) / n_features)  # (D / 2,)
    angles = np.arange(n)[:, None] * frequencies  # (T, 1) * (D / 2,) -> (T, D / 2)
    # (T, D / 2, 2) -> (T, D)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(n, n_features)


# %% [markdown]
# A shift by $k$ turns every hand by $k \omega_i$, wherever the clock stood. A turn is a matrix, so
# $\operatorname{PE}(t + k) = R_k \operatorname{PE}(t)$ with one $R_k$ for all $t$: "three words back" is
# something that a linear layer can express. We find the matrix twice: by least squares from the encodings
# alone, and from the angles,
#
# $$R_k = \begin{pmatrix} \cos k\omega & \sin k\omega \\ -\sin k\omega & \cos k\omega \end{pmatrix}
#   \text{ for each pair.}$$


# %%
def shift_matrix(k, n_features):
    """R_k (D, D) with sinusoidal(n)[t + k] = R_k @ sinusoidal(n)[t] for every t: one rotation a pair."""
    matrix = np.zeros((n_features, n_features))
    for i in range(0, n_features, 2):
        angle = k * 10000.0 ** (-i / n_features)
        matrix[i : i + 2, i : i + 2] = [
            [np.cos(angle), np.sin(angle)],
            [-np.sin(angle), np.cos(angle)],
        ]
    return matrix


encoding, k = sinusoidal(200, 8), 3
found = np.linalg.lstsq(encoding[:-k], encoding[k:], rcond=None)[0].T  # encoding[t + k] = found @ encoding[t]
turned = shift_matrix(k, 8)
print(f"largest difference of the two matrices {np.abs(found - turned).max():.1e}")
np.testing.assert_allclose(found, turned, atol=1e-8)
np.testing.assert_allclose(encoding[:-k] @ turned.T, encoding[k:], rtol=1e-10, atol=1e-12)  # (T, D) @ (D, D)

# %% [markdown]
# Turns keep lengths and angles, so the dot product of two encodings depends on their distance alone, and
# it is largest at distance zero. Near is similar.

# %%
encoding = sinusoidal(128, 64)
similarity = encoding @ encoding.T  # (T, D) @ (D, T) -> (T, T)
for distance in (0, 1, 10, 50):
    diagonal = np.diagonal(similarity, distance)
    print(f"distance {distance:2d}: dot product {diagonal.mean():.3f}, spread {np.ptp(diagonal):.1e}")
    assert np.ptp(diagonal) < 1e-10
assert np.all(similarity.argmax(axis=1) == np.arange(128))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
image = left.imshow(encoding, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
left.set(xlabel="feature", ylabel="position", title="Fast hands on the left, slow ones on the right")
fig.colorbar(image, ax=left, label="value")
for position, style in ((20, "-"), (64, "--"), (100, "-.")):
    right.plot(np.arange(128) - position, similarity[position], style, label=f"position {position}")
right.set(xlabel="distance", ylabel="dot product", title="Likeness depends on the distance alone")
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# ## Learned and rotary
#
# Two other ways. *Learned*: a table with one trainable vector a position, an `nn.Embedding`, added like
# the sines. *Rotary*: add nothing, but turn each pair of features of the queries and keys by $t \omega_i$
# before they meet. Turned by $t$ and by $s$, their dot product sees only the difference:
#
# $$(R_t\, q) \cdot (R_s\, k) = q \cdot R_{s - t}\, k .$$


# %%
def rotate(x, base=10000.0):
    """Turn each pair of features of x (..., T, d) by position times frequency (Su et al. 2021).

    Raises ValueError for an odd d.
    """
    n, d = x.shape[-2:]
    if d % 2:
        raise ValueError(f"rotation takes features in pairs, got {d} of them")
    positions = torch.arange(n, device=x.device, dtype=x.dtype)
    frequencies = base ** (-torch.arange(0, d, 2, device=x.device, dtype=x.dtype) / d)
    angles = positions[:, None] * frequencies  # (T, 1) * (d / 2,) -> (T, d / 2)
    cos, sin = angles.cos(), angles.sin()
    first, second = x[..., 0::2], x[..., 1::2]  # (..., T, d / 2) each
    return torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)


# %% [markdown]
# The same query and key at every position show it: all scores of one distance must be equal.

# %%
one_query, one_key = torch.randn(2, 1, 8, dtype=torch.float64, generator=cpu_generator)  # (1, d) each
# (T, d) @ (d, T) -> (T, T)
scores = (rotate(one_query.expand(50, -1)) @ rotate(one_key.expand(50, -1)).T).numpy()
for distance in (-7, 0, 7):
    diagonal = np.diagonal(scores, distance)
    print(f"distance {distance:2d}: score {diagonal.mean():6.3f}, spread {np.ptp(diagonal):.1e}")
    assert np.ptp(diagonal) < 1e-10
assert abs(scores[0, 0] - (one_query @ one_key.T).item()) < 1e-12  # (1, d) @ (d, 1) -> (1, 1)
assert abs(np.diagonal(scores, 7).mean() - np.diagonal(scores, -7).mean()) > 0.01  # it knows the direction

# %% [markdown]
# ## Beyond the trained length
#
# Which letter stood three places before? The letters are those of *Moby-Dick*, a causal attention layer
# must answer at every position, and it is trained on stretches of one length and tested on longer ones.
# Only the encoding differs.

# %%
LAG, TRAINED, TESTED, N_LETTERS = 3, 32, 128, 27
book = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8").lower()
letters = [ord(character) - 96 if "a" <= character <= "z" else 0 for character in book]
ids = torch.tensor(letters)  # 0 for anything but a to z
ids = ids[(ids > 0) | (ids.roll(1) > 0)]  # one gap between words


def stretches(batch_size, n, generator):
    """Random stretches of the book's letters, (B, T)."""
    starts = torch.randint(len(ids) - n, (batch_size,), generator=generator)
    return ids[starts[:, None] + torch.arange(n)]  # (B, 1) + (T,) -> (B, T)


print("".join(" abcdefghijklmnopqrstuvwxyz"[i] for i in stretches(1, 60, cpu_generator)[0]))


# %%
class LagReader(nn.Module):
    """Letters (B, T) -> logits (B, T, 27) by one causal attention; encoding: none, learned, sines, rotary."""

    def __init__(self, encoding, n_features=32, n_heads=2):
        super().__init__()
        self.embed = nn.Embedding(N_LETTERS, n_features)
        self.attention = MultiHeadAttention(
            n_features, n_heads, turn=rotate if encoding == "rotary" else None
        )
        self.read_out = nn.Linear(n_features, N_LETTERS)
        if encoding == "learned":
            self.places = nn.Parameter(torch.randn(TESTED, n_features))
        else:
            places = torch.from_numpy(sinusoidal(TESTED, n_features)).float()
            self.register_buffer("places", places if encoding == "sines" else 0 * places)

    def forward(self, x):
        hidden = self.embed(x) + self.places[: x.shape[1]]  # (B, T, D) + (T, D)
        return self.read_out(self.attention(hidden, is_causal=True))


# %%
test_letters = stretches(100, TESTED, torch.Generator().manual_seed(99))
accuracy = {}
for encoding_name in ("none", "learned", "sines", "rotary"):
    torch.manual_seed(0)
    model, generator = LagReader(encoding_name), torch.Generator().manual_seed(0)

    def lag_loss(model, generator=generator):
        x = stretches(32, TRAINED, generator)
        return F.cross_entropy(model(x)[:, LAG:].flatten(0, 1), x[:, :-LAG].flatten())

    fit(model, lag_loss, n_steps=250)
    with torch.no_grad():
        right = model(test_letters)[:, LAG:].argmax(dim=-1) == test_letters[:, :-LAG]  # (100, T - LAG)
    accuracy[encoding_name] = right.float().mean(dim=0).numpy()  # one a position, from LAG on

# %%
spans = {"trained": (LAG, 32), "32 to 39": (32, 40), "64 to 127": (64, 128)}
table = {
    name: [line[start - LAG : stop - LAG].mean() for start, stop in spans.values()]
    for name, line in accuracy.items()
}
print(f"{'':20s}" + "".join(f"{span:>12s}" for span in spans))
for name, row in table.items():
    print(f"{name:20s}" + "".join(f"{share:12.2f}" for share in row))
assert table["none"][0] < 0.5 and all(table[name][0] > 0.95 for name in ("learned", "sines", "rotary"))
assert table["rotary"][1] > 0.7 > table["sines"][1] > table["learned"][1] and table["learned"][1] < 0.2
assert max(row[2] for row in table.values()) < 0.5

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.axvspan(LAG, TRAINED - 1, color="0.93", zorder=0)
ax.text((LAG + TRAINED) / 2, 1.04, "trained", ha="center")
for (name, line), style in zip(accuracy.items(), ("-", "--", "-.", ":")):
    smooth = np.convolve(line, np.ones(4) / 4, mode="valid")
    ax.plot(LAG + 1.5 + np.arange(len(smooth)), smooth, style, label=name)
ax.set(xlabel="position", ylabel="share of right letters", ylim=(0, 1.12))
ax.set_title("Rotary reaches furthest beyond the trained length")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# Without places the layer can only guess the commoner letters it has seen. With places all are perfect
# where they were trained. One step further, the learned table has never been trained. The sines go on,
# but the layer has not seen those combinations. Rotary knows only distances, and those that it needs are
# old. Yet it fails in the end, too: nobody taught it to ignore what is very far away.
#
# ## What to remember
#
# - One head returns one average. Several heads keep several answers apart, at the same cost.
# - One product makes all queries, keys and values; a reshape and a transpose make the heads.
# - `True` means "may attend" in `scaled_dot_product_attention` and "blocked" in `nn.MultiheadAttention`.
# - Attention sees a set: places are added to the features or turned into queries and keys.
# - A shift is a rotation of the sines. Distances generalise better than places, and not forever.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Give the look-up task three marked items. How many heads are enough?
# 2. Train `LagReader` on random stretches of 8 to 64 letters. Who gains most?
# 3. Drop `project_out`. What can the heads no longer do, and does the read-out make up for it?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3.2.2 and 3.5.
# - J. Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
# - O. Press, N. A. Smith, M. Lewis, "Train short, test long: attention with linear biases enables input
#   length extrapolation", ICLR 2022: how encodings fail beyond the trained length.
# - H. Melville, *Moby-Dick*, 1851: the letters.
