# %% [markdown]
# # 12.4 Positional encodings: telling attention where each word stands
#
# "Ahab hunts the whale" and "The whale hunts Ahab" have the same words, and who dies depends on their
# order. An attention layer does not see the order, because a score depends on two words and not on where
# they stand (12.2). So the positions must be put into the vectors themselves. This is called *positional
# encoding*, and nearly every Transformer that reads text, code or proteins has some form of it. The form
# decides, among other things, how the model copes with texts longer than those it was trained on.
#
# **You will build** three encodings, with sines, with learned vectors and with rotations. You will train
# each on a task in which positions count, test it beyond the trained length, and compare it with a model
# that has no encoding. **You need** multi-head attention (12.3), masks (12.2), the matrix of a linear map
# (2.2), embeddings (11.6) and cross-entropy (5.5).

# %%
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
generator = torch.Generator().manual_seed(0)

# %% [markdown]
# ## On paper first
#
# A clock tells the time with hands. Take one hand that turns by $\omega = 90°$ from each position to the
# next, and describe where it points by the two numbers $(\sin \omega t, \cos \omega t)$:
#
# $$\begin{aligned}
#   \text{position } t = 0{:} \quad & p_0 = (\sin 0°, \cos 0°) = (0, 1) \\
#   \text{position } t = 1{:} \quad & p_1 = (\sin 90°, \cos 90°) = (1, 0) \\
#   \text{position } t = 2{:} \quad & p_2 = (\sin 180°, \cos 180°) = (0, -1) \\
#   \text{position } t = 3{:} \quad & p_3 = (\sin 270°, \cos 270°) = (-1, 0)
# \end{aligned}$$
#
# Attention compares vectors by dot products. Each position fits best to itself, with $p_1 \cdot p_1 = 1$.
# Going back by one position is the same for all of them, a turn of the hand back by 90°. So if a layer
# turns its queries back by 90° before it compares them, each position fits best to the one before it.
# With $R$ for this turn,
#
# $$\begin{aligned}
#   R &= \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix} \\
#   R\, p_2 &= (0 \cdot 0 - 1 \cdot (-1),\; 1 \cdot 0 + 0 \cdot (-1)) = (1, 0) = p_1 \\
#   R\, p_2 \cdot p_1 &= 1, \qquad R\, p_2 \cdot p_2 = 0, \qquad R\, p_2 \cdot p_0 = 0 .
# \end{aligned}$$
#
# One hand alone comes round again, so that $p_4 = p_0$. A clock has a second hand that turns slowly, and
# we will use several.

# %%
paper_positions = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # (T, 2): sine and cosine at 0, 1, 2, 3
turn_back = np.array([[0, -1], [1, 0]])  # (2, 2): the matrix R
paper_scores = (paper_positions @ turn_back.T) @ paper_positions.T  # (T, 2) @ (2, 2) @ (2, T) -> (T, T)
print(paper_scores)
print("each query's best key:", paper_scores.argmax(axis=1))
assert np.array_equal(paper_scores.argmax(axis=1), [3, 0, 1, 2])

# %% [markdown]
# Each row has its $1$ one place to the left of the diagonal. (Position $0$ fits best to position $3$,
# because the single hand has come round.)
#
# ## Attention does not see the order
#
# This is the multi-head attention of lesson 12.3: queries, keys and values of all heads side by side, a
# softmax over the scores of each query, and an average of the values. Only the scores now have a method
# of their own, since one of our encodings will change them.


# %%
class MultiHeadAttention(nn.Module):
    """Self-attention with several heads (12.3): x (B, T, D) to the output (B, T, D), weights (B, H, T, T).

    mask: boolean, broadcast against (B, H, T, T), True where a query may attend.
    Raises ValueError if n_heads does not divide n_features.
    """

    def __init__(self, n_features, n_heads):
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_features} features")
        self.n_heads = n_heads
        self.project_query = nn.Linear(n_features, n_features)
        self.project_key = nn.Linear(n_features, n_features)
        self.project_value = nn.Linear(n_features, n_features)
        self.project_out = nn.Linear(n_features, n_features)

    def split(self, x):
        """(B, T, D) -> (B, H, T, d)"""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(
            1, 2
        )  # (B, T, D) -> (B, T, H, d) -> (B, H, T, d)

    def scores(self, query, key):
        """Scaled dot products (B, H, T, T) of queries and keys (B, H, T, d)."""
        return query @ key.mT / math.sqrt(query.shape[-1])  # (B, H, T, d) @ (B, H, d, T) -> (B, H, T, T)

    def forward(self, x, mask=None):
        query = self.split(self.project_query(x))
        key = self.split(self.project_key(x))
        value = self.split(self.project_value(x))
        scores = self.scores(query, key)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(dim=-1)  # (B, H, T, T)
        output = weights @ value  # (B, H, T, T) @ (B, H, T, d) -> (B, H, T, d)
        joined = output.transpose(1, 2).flatten(2)  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)
        return self.project_out(joined), weights


# %% [markdown]
# What happens to the output for the word _hunts_ if the other words change places? A recurrent network
# (11.1) would answer differently. The word vectors and the weights here are random.

# %%
words = ["Ahab", "hunts", "the", "whale"]
vectors = torch.randn(1, 4, 8, generator=generator)  # (B, T, D)
order = [2, 3, 1, 0]
torch.manual_seed(0)
layer = MultiHeadAttention(8, 2)
with torch.no_grad():
    out, _ = layer(vectors)
    shuffled_out, _ = layer(vectors[:, order])
change = (shuffled_out - out[:, order]).abs().max().item()
print(f"{' '.join(words[i] for i in order)}: largest change of a word's output {change:.1e}")
assert change < 1e-5

# %% [markdown]
# Apart from rounding nothing changes, so _hunts_ gets the same output in both sentences, and so does
# every other word. A sum does not depend on the order of its terms.
#
# ## Sines and cosines
#
# How should a position become a vector? The plain number $t$, added to a feature, would soon be far
# larger than everything else. The original Transformer uses the hands of our clock. Feature pair $i$ gets
# a frequency $\omega_i$, and position $t$ gets the sine and the cosine of $\omega_i t$:
#
# $$\operatorname{PE}(t)_{2i} = \sin(\omega_i t), \quad \operatorname{PE}(t)_{2i + 1} = \cos(\omega_i t),
#   \qquad \omega_i = 10000^{-2i / D} .$$
#
# The first pair turns fastest, by $\omega_0 = 1$ radian (57°) from one position to the next, and the last
# pair hardly turns at all. The encoding is added to the features of the word at position $t$.


# %%
def sinusoidal(n, n_features):
    """Positional encoding (T, D) of Vaswani et al. 2017, section 3.5; raises ValueError for an odd D."""
    if n_features % 2:
        raise ValueError(f"sines and cosines come in pairs, got {n_features} features")
    frequencies = 10000.0 ** (-np.arange(0, n_features, 2) / n_features)  # (D / 2,)
    angles = np.arange(n)[:, None] * frequencies  # (T, 1) * (D / 2,) -> (T, D / 2)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # (T, D / 2, 2)
    return pairs.reshape(n, n_features)  # (T, D / 2, 2) -> (T, D)


# %% [markdown]
# How large is the dot product of two positions' encodings? It should be large for neighbours, and it
# should depend on the distance alone, so that "the word before" means the same anywhere in a text.

# %%
encoding = sinusoidal(128, 64)  # (T, D)
similarity = encoding @ encoding.T  # (T, D) @ (D, T) -> (T, T)
for distance in (0, 1, 10, 50):
    diagonal = np.diagonal(similarity, distance)  # all pairs of positions at this distance
    print(f"distance {distance:2d}: mean dot product {diagonal.mean():6.3f}, spread {np.ptp(diagonal):.1e}")
    assert np.ptp(diagonal) < 1e-10

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
image = left.imshow(encoding, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
left.set(xlabel="feature", ylabel="position", title="The encoding: each row is a position")
fig.colorbar(image, ax=left, label="value")
for position, style in ((20, "-"), (64, "--"), (100, "-.")):
    right.plot(np.arange(128) - position, similarity[position], style, label=f"position {position}")
right.set(xlabel="distance", ylabel="dot product", title="Similarity of a position to all others")
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# On the left, the columns at the left change quickly from row to row, and those at the right hardly at
# all. On the right, the three curves lie on top of each other, so only the distance matters. The high
# peak at distance zero says that a position is most like itself and its neighbours; further away the
# curve falls and wiggles. All this follows from $\sin a \sin b + \cos a \cos b = \cos(a - b)$: the dot
# product of the encodings of $t$ and $s$ is $\sum_i \cos(\omega_i (t - s))$.
#
# ## Three places back is a rotation
#
# How can a head look exactly three places back? It works as on paper, but with all pairs, because going
# from $t$ to $t + k$ turns pair $i$ by the angle $k \omega_i$, wherever it was, and a rotation is a
# matrix:
#
# $$\operatorname{PE}(t + k) = R_k \operatorname{PE}(t), \qquad R_k = \begin{pmatrix}
#   \cos k\omega_i & \sin k\omega_i \\ -\sin k\omega_i & \cos k\omega_i \end{pmatrix} \text{ for pair } i .$$
#
# The same $R_k$ serves every $t$, so if the query matrix of a head contains $R_{-3}$, the query of
# position $t$ is the encoding of $t - 3$.


# %%
def shift_matrix(k, n_features):
    """R_k (D, D), with sinusoidal(n)[t + k] = R_k @ sinusoidal(n)[t] for every t: a rotation of each pair."""
    matrix = np.zeros((n_features, n_features))
    for i in range(0, n_features, 2):
        angle = k * 10000.0 ** (-i / n_features)
        matrix[i, i : i + 2] = np.cos(angle), np.sin(angle)
        matrix[i + 1, i : i + 2] = -np.sin(angle), np.cos(angle)
    return matrix


np.testing.assert_allclose(encoding[:-3] @ shift_matrix(3, 64).T, encoding[3:], rtol=1e-10, atol=1e-12)
shifted_queries = encoding @ shift_matrix(-3, 64).T  # (T, D) @ (D, D) -> (T, D)
shifted_scores = shifted_queries @ encoding.T  # (T, D) @ (D, T) -> (T, T)
best_keys = shifted_scores[3:].argmax(axis=1)  # (T - 3,)
print(f"positions 3 to 10 fit best to {best_keys[:8].tolist()}")
assert np.array_equal(best_keys, np.arange(125))

# %% [markdown]
# From position 3 on, every query fits best to the key three places earlier. So a head that does this
# exists, but will training find one?
#
# ## Which letter stood three places before?
#
# We need a task in which positions count: at every letter of _Moby-Dick_, name the letter three places
# earlier. The model is one causal attention layer with two heads, once without an encoding and once with
# the sines; all else is equal. The first model sees which letters came before, but not where. It is not
# helpless, since some letters are common. So we also count how often the most common one would be right.
# (For a text of your own, change the path. Whatever is not a letter from a to z becomes a gap.)

# %%
LAG = 3  # how many places earlier
TRAINED = 32  # letters in a stretch for training
TESTED = 128  # letters in a stretch for testing
N_FEATURES = 32
N_LETTERS = 27
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
book = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8").lower()
letters = [ord(character) - 96 if "a" <= character <= "z" else 0 for character in book]
ids = torch.tensor(letters)  # 1 to 26 for a to z, 0 for a gap: anything else
previous = ids.roll(1)  # at each place the code that stands one place before it
ids = ids[(ids > 0) | (previous > 0)]  # all letters, and of several gaps in a row only the first


def stretches(batch_size, n, generator):
    """Random stretches of the book's letters, (B, T); raises ValueError if the book is not longer."""
    if len(ids) <= n:
        raise ValueError(f"{len(ids)} letters a to z and gaps are too few for stretches of {n}")
    starts = torch.randint(len(ids) - n, (batch_size,), generator=generator)
    return ids[starts[:, None] + torch.arange(n)]  # (B, 1) + (T,) -> (B, T)


test_letters = stretches(60, TESTED, torch.Generator().manual_seed(99))  # (60, T)
print("".join(ALPHABET[i] for i in test_letters[0, :60]))


# %%
class SinusoidalPositions(nn.Module):
    """Adds the sines to x (B, T, D), for T up to `longest`."""

    def __init__(self, longest, n_features):
        super().__init__()
        table = torch.from_numpy(sinusoidal(longest, n_features)).float()  # (longest, D)
        self.register_buffer("table", table)  # moves with .to(device), is not trained

    def forward(self, x):
        return x + self.table[: x.shape[1]]  # (B, T, D) + (T, D) -> (B, T, D)


class LagReader(nn.Module):
    """Letters (B, T) -> logits (B, T, 27) by one causal attention layer.

    positions: a module that puts positions into the features (B, T, D); attention: the attention layer.
    """

    def __init__(self, positions, attention):
        super().__init__()
        self.embed = nn.Embedding(N_LETTERS, N_FEATURES)
        self.positions = positions
        self.attention = attention
        self.read_out = nn.Linear(N_FEATURES, N_LETTERS)

    def attend(self, x, window=TESTED):
        """Output (B, T, D) and weights (B, H, T, T); a letter attends to itself and window - 1 before it."""
        t = torch.arange(x.shape[1], device=x.device)  # (T,)
        back = t[:, None] - t  # (T, 1) - (T,) -> (T, T): how far the key lies behind the query
        mask = (back >= 0) & (back < window)
        return self.attention(self.positions(self.embed(x)), mask)

    def forward(self, x, window=TESTED):
        output, _ = self.attend(x, window)
        return self.read_out(output)  # (B, T, D) -> (B, T, 27)


# %%
def fit(model, seed, n_steps=130):
    """Train on random stretches with Adam: at each letter, name the one LAG places earlier."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(n_steps):
        x = stretches(16, TRAINED, generator)
        logits = model(x)[:, LAG:]  # (B, T - LAG, 27): the first letters have no answer
        loss = F.cross_entropy(logits.flatten(0, 1), x[:, :-LAG].flatten())  # (B * (T - LAG), 27)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def accuracy_by_position(model, letters, window=TESTED):
    """Share of right answers at each position from LAG on: (T - LAG,)."""
    with torch.no_grad():
        answers = model(letters, window)[:, LAG:].argmax(dim=-1)  # (B, T - LAG)
    return (answers == letters[:, :-LAG]).float().mean(dim=0).numpy()


SEEDS = (0, 1, 2, 3)
readers = {"none": [], "sines": []}  # a trained reader for each seed
for seed in SEEDS:
    torch.manual_seed(seed)
    reader = LagReader(nn.Identity(), MultiHeadAttention(N_FEATURES, 2))
    fit(reader, seed)
    readers["none"].append(reader)
    torch.manual_seed(seed)
    reader = LagReader(SinusoidalPositions(TESTED, N_FEATURES), MultiHeadAttention(N_FEATURES, 2))
    fit(reader, seed)
    readers["sines"].append(reader)

short_letters = test_letters[:, :TRAINED]  # (60, 32): as long as in training
most_common = (short_letters[:, :-LAG] == ids.bincount().argmax()).float().mean().item()
print(f"{'right letters':20s}{'share':>12s}\n{'the most common':20s}{most_common:12.2f}")
short_accuracy = {}
for name, trained in readers.items():
    short_accuracy[name] = [accuracy_by_position(reader, short_letters).mean() for reader in trained]
    print(f"{name:20s}" + "".join(f"{share:12.2f}" for share in short_accuracy[name]))

# %% [markdown]
# Without positions the share is a quarter, only a little above that of the most common letter, from each
# of four starts. With the sines nearly every answer is right. Where do the heads look? We draw the weights
# for the first letters of a test stretch, from the first start.

# %%
n_letters_shown = 16
shown = test_letters[:1, :n_letters_shown]  # (1, T)
with torch.no_grad():
    _, weights_without = readers["none"][0].attend(shown)  # (1, H, T, T)
    _, weights_with_sines = readers["sines"][0].attend(shown)  # (1, H, T, T)
maps = {
    "no positions, head 1": weights_without[0, 0],
    "sines, head 1": weights_with_sines[0, 0],
    "sines, head 2": weights_with_sines[0, 1],
}
ticks = [ALPHABET[i].replace(" ", "·") for i in shown[0]]
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, attention_map) in zip(axes, maps.items()):
    image = ax.imshow(attention_map.numpy(), vmin=0, vmax=1, cmap="viridis")
    rows = np.arange(LAG, n_letters_shown)
    ax.plot(rows - LAG, rows, ".", color="white", markersize=4)
    ax.set(title=name, xlabel="letter attended to (key)")
    ax.set_xticks(range(n_letters_shown), ticks)
    ax.set_yticks(range(n_letters_shown), ticks)
axes[0].set_ylabel("letter that asks (query)")
fig.colorbar(image, ax=axes, label="weight")
fig.suptitle(f"Attention weights; white dots mark the letter {LAG} places back")
plt.show()

# %% [markdown]
# Each row is one letter that asks, and the bright fields in the row are the letters that it attends to.
# Without positions the weight is spread over everything that came before, and the fields with white dots
# are no brighter than the rest. With the sines the bright fields lie along the white dots, three places to
# the left of the diagonal. (The first three rows have nothing to look at, and do not count.) The
# neighbours of the right letter get some weight, too, because the encodings of neighbours are similar, and
# in a few rows even more. But on average the right letter gets the largest share, and with two heads that
# is enough for the read-out.
#
# ## Learned and rotary positions
#
# Two other encodings are common, and the first, the *learned* encoding, is a table with one trainable
# vector for each position, added like the sines. The *rotary* encoding adds nothing to the features. It
# rotates each pair of features of the queries and keys by the angle $\omega_i t$, before they are
# compared. Let the query $q$ stand at $t$ and the key $k$ at $s$, and let $R_t$ from here on be the
# ordinary rotation of each pair by the angle $\omega_i t$, counterclockwise. (Above it turned the other
# way, because there the sine stood first.) If both vectors are rotated by the same angle, their dot
# product does not change, so only the difference of the two angles counts:
#
# $$(R_t\, q) \cdot (R_s\, k) = q \cdot R_{s - t}\, k .$$
#
# So the score depends on the two words and on their distance, and not on where in the text they stand.
# Many of today's large language models use this form.


# %%
class LearnedPositions(nn.Module):
    """Adds a trainable vector for each position to x (B, T, D), for T up to `longest`."""

    def __init__(self, longest, n_features):
        super().__init__()
        self.table = nn.Parameter(torch.randn(longest, n_features))

    def forward(self, x):
        return x + self.table[: x.shape[1]]  # (B, T, D) + (T, D) -> (B, T, D)


def rotate(x, base=10000.0):
    """Rotate each pair of features of x (..., T, d) by position times frequency (Su et al. 2021).

    Raises ValueError for an odd d.
    """
    n, d = x.shape[-2:]
    if d % 2:
        raise ValueError(f"rotation takes features in pairs, got {d} of them")
    positions = torch.arange(n, device=x.device, dtype=x.dtype)
    frequencies = base ** (-torch.arange(0, d, 2, device=x.device, dtype=x.dtype) / d)  # (d / 2,)
    angles = positions[:, None] * frequencies  # (T, 1) * (d / 2,) -> (T, d / 2)
    cos, sin = angles.cos(), angles.sin()
    first, second = x[..., 0::2], x[..., 1::2]  # (..., T, d / 2) each
    rotated = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return rotated.flatten(-2)  # (..., T, d / 2, 2) -> (..., T, d)


class RotaryAttention(MultiHeadAttention):
    """Multi-head attention whose queries and keys are rotated by their positions."""

    def scores(self, query, key):
        return super().scores(rotate(query), rotate(key))


# %% [markdown]
# To check the formula we put one and the same query at all positions, and one and the same key. Then all
# scores at one distance should be equal, and the score at $+7$ need not be the score at $-7$.

# %%
one_query, one_key = torch.randn(2, 1, 8, generator=generator, dtype=torch.float64)  # (1, d) each
# (T, d) @ (d, T) -> (T, T)
rotary_scores = (rotate(one_query.expand(50, -1)) @ rotate(one_key.expand(50, -1)).T).numpy()
for distance in (-7, 0, 7):
    diagonal = np.diagonal(rotary_scores, distance)
    print(f"distance {distance:2d}: score {diagonal.mean():6.3f}, spread {np.ptp(diagonal):.1e}")
    assert np.ptp(diagonal) < 1e-10

# %% [markdown]
# The spreads are rounding errors, and before is not the same as after.
#
# ## Beyond the trained length
#
# Can a model use positions that it has never seen? All four models are trained on stretches of 32 letters
# and tested on stretches of 128. Which will carry furthest? The table of learned vectors has entries for
# the later positions, but they are never trained. The sines go on regularly, and the rotary encoding
# depends on distances alone, and a distance of three occurs all the time.


# %%
def make_reader(name, seed):
    """An untrained `LagReader`; name: "none", "sines", "learned" or "rotary"."""
    torch.manual_seed(seed)
    positions = nn.Identity()
    if name == "sines":
        positions = SinusoidalPositions(TESTED, N_FEATURES)
    if name == "learned":
        positions = LearnedPositions(TESTED, N_FEATURES)
    attention_class = RotaryAttention if name == "rotary" else MultiHeadAttention
    return LagReader(positions, attention_class(N_FEATURES, 2))


for name in ("learned", "rotary"):
    readers[name] = []
    for seed in SEEDS:
        reader = make_reader(name, seed)
        fit(reader, seed)
        readers[name].append(reader)

SPANS = {f"{LAG} to 31": (LAG, 32), "32 to 39": (32, 40), "64 to 127": (64, 128)}  # of positions


def accuracy_table(window):
    """Each encoding's shares of right letters, printed: by span (3, 4) and by position (4, T - LAG)."""
    by_span = {}
    by_position = {}
    print(f"{'positions':20s}" + "".join(f"{span:>16s}" for span in SPANS))
    for name, trained in readers.items():
        lines = np.array([accuracy_by_position(reader, test_letters, window) for reader in trained])
        by_position[name] = lines  # (4, T - LAG)
        shares = [lines[:, start - LAG : stop - LAG].mean(axis=1) for start, stop in SPANS.values()]
        by_span[name] = np.array(shares)  # (3, 4): a row for each of SPANS, a column for each start
        print(f"{name:20s}" + "".join(f"{row.min():8.2f} to {row.max():.2f}" for row in by_span[name]))
    return by_span, by_position


table, accuracy = accuracy_table(window=TESTED)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.axvspan(LAG, TRAINED - 1, color="0.93", zorder=0)
ax.text((LAG + TRAINED) / 2, 1.04, "trained", ha="center")
for k, ((name, lines), style) in enumerate(zip(accuracy.items(), (":", "--", "-", "-."))):
    kernel = np.ones(4) / 4  # the mean of four neighbouring positions
    smooth = np.array([np.convolve(line, kernel, mode="valid") for line in lines])  # (4, T - LAG - 3)
    places = LAG + 1.5 + np.arange(smooth.shape[1])  # the middle of each window of four positions
    ax.plot(places, smooth.T, style, color=f"C{k}", linewidth=0.5, alpha=0.5)
    ax.plot(places, smooth.mean(axis=0), style, color=f"C{k}", linewidth=2, label=name)
ax.set(xlabel="position", ylabel="share of right letters", ylim=(0, 1.12))
ax.set_title(f"Right letters by position, trained on {TRAINED} letters")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# Thick lines are means, thin lines the four starts. In the grey range all three encodings are right. One
# step beyond it the learned table is worse than no positions at all (dotted), because its new vectors are
# random numbers. The sines fail within a few positions, perhaps because the layer has not met those
# combinations of values. (Their two bumps come from single starts.) Rotary holds for about eight letters
# more and then fails, too: in the last span it is below the model without positions.
#
# Why does rotary fail, if it depends on distances alone? At position 100 a head also sees keys 32 to 100
# letters back, and no training stretch had such distances. Perhaps those draw weight away, and this guess
# can be tested without any training: let each letter attend to the last 32 letters only, a *sliding
# window*. Then every distance is one that was trained. What do you expect for the sines?

# %%
table_window, _ = accuracy_table(window=TRAINED)

# %% [markdown]
# With the window the rotary model is right everywhere, so the keys further back than any in training were
# the reason. The sines gain a little far out, the learned table hardly anything, and both remain mostly
# wrong, because their trouble is with the positions themselves: a window does not bring position 100 back
# to where the layer was trained. This is one small task, and how encodings extend in large models, and
# how they can be trained to, is a question of its own (Press et al. 2022), but sliding windows are used
# there, too.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
assert np.all(similarity.argmax(axis=1) == np.arange(128)), "a position is most similar to itself"
assert len(short_accuracy["none"]) == len(short_accuracy["sines"]) == 4, "there are four starts"
assert max(short_accuracy["none"]) < most_common + 0.1, "without positions it is little above guessing"
assert abs(max(short_accuracy["none"]) - 0.25) < 0.03, "without positions a quarter of the letters is right"
assert min(short_accuracy["sines"]) > 0.95, "with the sines nearly every answer is right"
for head_map in weights_with_sines[0]:
    by_distance = [torch.diagonal(head_map, -back).mean().item() for back in range(n_letters_shown)]
    assert np.argmax(by_distance) == LAG, "on average the right letter gets the largest share"
    assert min(by_distance[LAG - 1], by_distance[LAG + 1]) > 0.05, "its neighbours get some weight, too"
for name in ("sines", "learned", "rotary"):
    assert table[name][0].min() > 0.95, f"right at the trained positions: {name}"
    assert table[name][2].mean() < 0.3, f"fails far beyond the trained length: {name}"
assert table["learned"][1].max() < table["none"][1].min(), "the learned table is then worse than none"
assert table["rotary"][1].min() > table["sines"][1].max() + 0.2, "rotary reaches further than the sines"
assert table["rotary"][2].mean() < table["none"][2].mean(), "far beyond, rotary is worse than none, too"
assert table_window["rotary"].min() > 0.95, "with the window, rotary is right everywhere"
for name in ("sines", "learned"):
    assert table_window[name][1].max() < 0.6, f"the window does not help: {name}"
gain = {name: table_window[name][2].mean() - table[name][2].mean() for name in ("sines", "learned")}
assert gain["sines"] > 0.03, "far out the sines gain a little by the window"
assert gain["learned"] < 0.05, "the learned table gains hardly anything by the window"

# %% [markdown]
# ## What to remember
#
# - Attention does not see the order of the words. A positional encoding puts it in: added to the features
#   (sines, a learned table), or as a rotation of queries and keys (rotary).
# - With sines and cosines a shift by $k$ places is a rotation, the same one everywhere, so a head can
#   learn to look $k$ places back.
# - With rotary encoding a score depends on the two words and their distance alone.
# - What was not trained does not work by itself: new positions for the first two, new distances for the
#   third.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `LAG = 6` in the cell that loads the book. Where will the bright fields of the attention maps in
#    the second figure lie?
# 2. Turn the hands faster: in `sinusoidal`, put `10.0` in place of `10000.0`. How will the curve on the
#    right of the first figure change? Which far positions will be hard to tell apart?
# 3. From a blank cell at the end: shuffle the letters of `short_letters`, all but the last one, and count
#    for each model with seed 0 how many of its 60 answers at the last position change. Which model's
#    answers should not change at all? Compare with the section on the order.
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5: the sines; a shift is a
#   linear map. Reproduced: test_a_shift_of_the_sines_is_a_rotation.
# - J. Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021. Reproduced:
#   test_rotary_scores_depend_on_the_distance_alone.
# - O. Press, N. A. Smith, M. Lewis, "Train short, test long: attention with linear biases enables input
#   length extrapolation", ICLR 2022: how encodings fail beyond the trained length. Reproduced: "fails far
#   beyond the trained length".
# - A. Q. Jiang et al., "Mistral 7B", 2023: rotary positions with a sliding window in a large model.
# - H. Melville, _Moby-Dick_, 1851: the letters.
