# %% [markdown]
# # 11.6 Text generation: a network reads Moby-Dick, one character at a time
#
# Cover the end of this sentenc. You knew the next letter, and you could have said how sure you were. A
# machine that can do that can write: it asks itself for the next letter, writes one down, and asks again.
#
# **You will build** a whole project with the tools of this chapter: baselines that only count, an LSTM
# that reads the book, a fair score on pages it has not seen, a writer with two knobs, and a look inside.
# **You need** the LSTM (11.4), truncated backpropagation and clipping (11.2), embeddings (6.4), and
# learning-rate schedules (7.3). **It takes** about a minute.

# %%
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")

# %% [markdown]
# ## On paper first
#
# How good is a guesser of letters? Ask what probability it gave to the letter that came, and count in
# *bits*: $-\log_2 p$. Probability $\frac12$ costs one bit, $\frac18$ three, certainty nothing. For *aab*,
# a guesser that always says $\frac12$ for a and $\frac14$ for b pays $1 + 1 + 2$, so $\frac43$ *bits per
# character*. It is cross-entropy (5.5) with another logarithm, and the size of the file, had it been
# compressed with this guesser.

# %%
bits = [-math.log2(p) for p in (1 / 2, 1 / 2, 1 / 4)]
print(f"bits {bits}, per character {sum(bits) / 3:.3f}")
assert math.isclose(sum(bits) / 3, 4 / 3)

# %% [markdown]
# ## The book
#
# The last tenth is kept for the test. Neighbouring sentences resemble each other, so we cut once and
# never shuffle.

# %%
text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
characters = sorted(set(text))
number = {character: i for i, character in enumerate(characters)}
codes = np.array([number[character] for character in text])  # (n,)
n_train, vocabulary = len(codes) * 9 // 10, len(characters)
train_codes, test_codes = codes[:n_train], codes[n_train:]
print(f"{n_train:,} characters to learn from, {len(test_codes):,} for the test, {vocabulary} different ones")
print(f"knowing nothing costs {math.log2(vocabulary):.2f} bits per character")

# %% [markdown]
# ## Baselines that only count
#
# An *n-gram* model looks up what followed the last $n - 1$ characters in the book so far. Contexts it has
# seen little of tell little, so it mixes in the shorter context's opinion, the more the rarer its own is
# and the more different letters followed it (Witten and Bell 1991):
#
# $$p_n(c \mid \text{context}) =
#   \frac{\text{count}(\text{context}, c) + k\; p_{n-1}(c \mid \text{shorter context})}
#        {\text{count}(\text{context}) + k},$$
#
# where $k$ counts the different letters seen after this context. At the bottom every character is equally
# likely. The first three orders are called *unigram*, *bigram* and *trigram*. To count fast, we write
# each run of characters as one number, so that looking it up is a search in a sorted list.


# %%
def keys(codes, order, vocabulary):
    """Every run of `order` codes as one number in base `vocabulary`: (len(codes) - order + 1,)."""
    windows = np.lib.stride_tricks.sliding_window_view(codes, order)  # (n, order)
    return windows @ vocabulary ** np.arange(order)[::-1]  # (n, order) @ (order,) -> (n,)


def look_up(sorted_keys, values, wanted):
    """values at the places of `wanted` among `sorted_keys`, 0 where it is not there: (len(wanted),)."""
    place = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == wanted, values[place], 0)


# %% [markdown]
# Then the formula, order by order, for all the characters of the test at once. The n-grams come sorted, so
# those of one context stand side by side.


# %%
def ngram_probabilities(train_codes, test_codes, highest, vocabulary):
    """Probability of each test character under interpolated n-grams of order 1 to `highest`: a list of (n,).

    The first highest - 1 test characters lack a full context and are left out: n = len(test) - highest + 1.
    Raises ValueError where codes are outside the vocabulary or the numbers of n-grams would overflow.
    """
    if min(train_codes.min(), test_codes.min()) < 0 or max(train_codes.max(), test_codes.max()) >= vocabulary:
        raise ValueError(f"codes must be from 0 to {vocabulary - 1}")
    if vocabulary**highest >= 2**63:
        raise ValueError(f"{vocabulary}**{highest} n-grams do not fit into 64 bits")
    n = len(test_codes) - highest + 1
    probability, orders = np.full(n, 1 / vocabulary), []
    for order in range(1, highest + 1):
        grams, test_grams = (keys(c, order, vocabulary) for c in (train_codes, test_codes[highest - order :]))
        kinds, counts = np.unique(grams, return_counts=True)  # each n-gram once, and how often
        contexts, first = np.unique(kinds // vocabulary, return_index=True)  # where each context begins
        totals, different = np.add.reduceat(counts, first), np.diff(np.append(first, len(kinds)))
        seen = look_up(kinds, counts, test_grams)  # (n,)
        total = look_up(contexts, totals, test_grams // vocabulary)
        k = look_up(contexts, different, test_grams // vocabulary)  # (n,)
        k = np.maximum(k, 1)  # a context never seen: all from the order below
        probability = (seen + k * probability) / (total + k)
        orders.append(probability)
    return orders


orders = ngram_probabilities(train_codes, test_codes, 5, vocabulary)
ngram_bits = [-np.log2(probability).mean() for probability in orders]
for order, cost in enumerate(ngram_bits, start=1):
    print(f"{order}-gram: {cost:.3f} bits per character")
assert all(longer < shorter for shorter, longer in zip(ngram_bits, ngram_bits[1:]))

# %% [markdown]
# Check, on a case for pencil and paper. After *ab ab ac* (without the spaces) the bigram has seen *a*
# three times, followed by two different letters. The unigram gives *b*
# $(2 + 3 \cdot \frac13) / (6 + 3) = \frac13$, so the bigram gives it
# $(2 + 2 \cdot \frac13) / (3 + 2) = \frac8{15}$.

# %%
_, bigram = ngram_probabilities(np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1]), 2, 3)
print(f"p(b | a) = {bigram[0]:.4f}")
assert math.isclose(bigram[0], 8 / 15)

# %% [markdown]
# ## The network
#
# Counting has a wall: the longer the context, the more often it is new. The LSTM has no such limit. Each
# character becomes a vector, its embedding (6.4), the layer reads it, and a linear layer gives a score for
# each possible next one.
#
# Training is truncated backpropagation with *carried state*: the text is cut into parallel tracks, one a
# row of the batch. Each step reads the next piece of every track and starts from the state in which the
# last piece ended, detached from its graph.


# %%
class CharacterModel(nn.Module):
    """Embedding, LSTM, linear: from codes x (T, B) to scores (T, B, vocabulary) and the final state."""

    def __init__(self, vocabulary, n_hidden, n_layers=1, dropout=0.0, n_embedding=32):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, n_embedding)
        self.lstm = nn.LSTM(n_embedding, n_hidden, n_layers, dropout=dropout)
        self.readout = nn.Linear(n_hidden, vocabulary)

    def forward(self, x, state=None):
        hiddens, state = self.lstm(self.embedding(x), state)  # (T, B) -> (T, B, E) -> (T, B, H)
        return self.readout(hiddens), state  # (T, B, H) -> (T, B, vocabulary)


def tracks(codes, n_tracks):
    """The text as parallel tracks, (length, n_tracks): column k holds the k-th piece, in reading order."""
    length = len(codes) // n_tracks
    pieces = codes[: length * n_tracks].reshape(n_tracks, length)
    return torch.from_numpy(pieces.T.copy())  # (n_tracks, length) -> (length, n_tracks)


# %% [markdown]
# The test reads in tracks, too. Each begins without a past, which no reader of a whole book would, so the
# first characters are read but not scored.


# %%
def bits_per_character(model, codes, n_tracks=16, n_warm=64):
    """Mean bits on a text read in parallel tracks; the first n_warm characters of each are not scored."""
    columns, state, total, n = tracks(codes, n_tracks).to(device), None, 0.0, 0
    with torch.no_grad():
        for start in range(0, len(columns) - 1, 256):
            y = columns[start + 1 : start + 257]  # (T, n_tracks)
            logits, state = model(columns[start : start + len(y)], state)
            costs = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view_as(y)
            costs = costs[max(n_warm - start, 0) :]
            total, n = total + costs.sum().item(), n + costs.numel()
    return total / n / math.log(2)


# %% [markdown]
# The learning rate warms up and then falls along a cosine, by steps and not by the clock, so that the
# result is the same on a slow machine. AdamW (8.2) and clipping (11.2) are old friends. Where there is an
# accelerator, the model is wider, with a second layer (11.5) and dropout (8.1) between the two, and reads
# the book many times.

# %%
piece, n_warm_up = 64, 50
if device.type == "cpu":
    size, batch_size, n_steps, peak = {"n_hidden": 192}, 16, 1600, 0.006
else:
    size, batch_size, n_steps, peak = {"n_hidden": 512, "n_layers": 2, "dropout": 0.3}, 64, 4000, 0.003


def rate(step):
    """Share of the peak learning rate: up in a straight line, then down along half a cosine."""
    if step < n_warm_up:
        return (step + 1) / n_warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - n_warm_up) / (n_steps - n_warm_up)))


# %% [markdown]
# The loop. When the tracks are read to their ends it starts again at the top, with an empty memory.

# %%
model = CharacterModel(vocabulary, **size).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=peak)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
columns = tracks(train_codes, batch_size).to(device)  # (length, B)
train_bits, state, position = [], None, 0
for step in range(1, n_steps + 1):
    if position + piece + 1 > len(columns):
        state, position = None, 0
    x, y = columns[position : position + piece], columns[position + 1 : position + piece + 1]  # (T, B) each
    logits, state = model(x, state)
    state = tuple(part.detach() for part in state)
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    train_bits.append(loss.item() / math.log(2))
    position += piece
    if step % (n_steps // 6) == 0:
        print(f"step {step:5d}   {np.mean(train_bits[-50:]):.3f} bits per character")

# %% [markdown]
# ## The score
#
# On the last tenth of the book, beside the counters.

# %%
model.eval()  # no dropout from here on
test_bits = bits_per_character(model, test_codes)
print(f"LSTM: {test_bits:.3f} bits per character")
for order, cost in enumerate(ngram_bits, start=1):
    verdict = "better" if test_bits < cost else "worse"
    print(f"{order}-gram: {cost:.3f}, the LSTM is {abs(cost - test_bits):.3f} {verdict}")
assert test_bits < ngram_bits[2] - 0.3

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
smooth = np.convolve(train_bits, np.ones(25) / 25, mode="valid")
ax.plot(np.arange(25, len(train_bits) + 1), smooth, color="C1", label="LSTM, training, mean of 25 steps")
ax.plot(len(train_bits), test_bits, "o", color="C1", markerfacecolor="none", label="LSTM, test")
for order, cost in enumerate(ngram_bits[1:], start=2):
    ax.axhline(cost, color="0.7", linewidth=0.8, zorder=0)
    ax.text(1.04 * len(train_bits), cost, f"{order}-gram, test", fontsize=8, va="bottom")
ax.set(xlabel="step", ylabel="bits per character", title="The LSTM leaves the trigram far behind")
ax.set(xlim=(0, 1.25 * len(train_bits)), ylim=(min(2, smooth.min() - 0.1, test_bits - 0.1), 4.5))
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# Counting is a strong opponent on a book this small: it remembers every run of five characters. But the
# table of 5-grams grows with the text, and the network does not.

# %%
n_kinds = len(np.unique(keys(train_codes, 5, vocabulary)))
n_parameters = sum(parameter.numel() for parameter in model.parameters())
print(f"different 5-grams: {n_kinds:,}; the LSTM's parameters: {n_parameters:,}")

# %% [markdown]
# ## Writing
#
# To write, draw the next character from the model's probabilities and feed it back. Temperature (11.2)
# divides the logits first: below 1 the likely becomes likelier. *Top-k* forbids all but the $k$
# likeliest.


# %%
def write(model, prompt, n_characters, temperature, top_k, generator):
    """The prompt and n_characters drawn after it. Raises ValueError unless temperature > 0 and top_k >= 1."""
    if not (temperature > 0 and top_k >= 1 and prompt):
        raise ValueError(
            f"need a prompt, temperature > 0, top_k >= 1, got {prompt!r}, {temperature}, {top_k}"
        )
    x, state, written = torch.tensor([[number[c]] for c in prompt], device=device), None, []  # x: (T, 1)
    with torch.no_grad():
        for _ in range(n_characters):
            logits, state = model(x, state)
            # (T, 1, vocabulary) -> (vocabulary,), to the CPU first: not every accelerator has float64
            logits = logits[-1, 0].cpu().double() / temperature
            kept, places = logits.topk(min(top_k, len(logits)))
            choice = places[torch.multinomial(kept.softmax(dim=0), 1, generator=generator)]  # (1,)
            written.append(characters[choice])
            x = choice[None].to(device)  # (1, 1)
    return prompt + "".join(written)


samples = {}
for temperature, top_k in ((0.3, vocabulary), (0.8, vocabulary), (0.8, 5), (1.5, vocabulary)):
    generator = torch.Generator().manual_seed(0)
    samples[temperature, top_k] = write(model, "The whale ", 200, temperature, top_k, generator)
    print(f"temperature {temperature}, top {top_k}:\n{samples[temperature, top_k]}\n")
again = write(model, "The whale ", 200, 0.8, 5, torch.Generator().manual_seed(0))
assert again == samples[0.8, 5]  # same seed, same text

# %% [markdown]
# Cold, it repeats itself; hot, it babbles. Top-k keeps the babble out and leaves the variety. And how
# many of its words are words?

# %%
book_words = set(text[:n_train].split())
shares = {}
for knobs in samples:
    sample = write(model, "The whale ", 600, *knobs, torch.Generator().manual_seed(1))
    words = sample.split()[2:-1]
    shares[knobs] = np.mean([word in book_words for word in words])
    share = f"{shares[knobs]:.0%} of {len(words)}"
    print(f"temperature {knobs[0]}, top {knobs[1]:2d}: {share} words stand in the book")
assert shares[0.3, vocabulary] > shares[1.5, vocabulary]

# %% [markdown]
# ## What does a unit track?
#
# Karpathy, Johnson and Fei-Fei found units that switch on inside quotes, and others that count along the
# line. We correlate every unit of ours with four things, on unseen text, and report what comes out. With
# so many units the best looks good by luck, so each winner, found on one half, is judged on the other.

# %%
n_probe = 20_000
sample_text, sample_codes = text[n_train : n_train + n_probe], test_codes[:n_probe]
with torch.no_grad():
    hiddens, _ = model.lstm(model.embedding(torch.from_numpy(sample_codes)[:, None].to(device)))  # (n, 1, H)
hiddens = hiddens[:, 0].cpu().double().numpy()  # (n, 1, H) -> (n, H)

line_position, inside, inside_quotes, since_newline = [], False, [], 0
for character in sample_text:
    since_newline = 0 if character == "\n" else since_newline + 1
    line_position.append(since_newline)
    inside = character == "“" or (inside and character != "”")
    inside_quotes.append(inside)
features = {
    "space": [character == " " for character in sample_text],
    "capital": [character.isupper() for character in sample_text],
    "inside quotes": inside_quotes,
    "line position": line_position,
}

# %% [markdown]
# The correlation of many units with one feature is a single product of centred numbers.


# %%
def correlations(hiddens, feature):
    """The correlation of every unit, a column of (n, H), with a feature (n,): (H,)."""
    centred, feature = hiddens - hiddens.mean(axis=0), feature - np.mean(feature)
    lengths = np.sqrt((feature @ feature) * (centred * centred).sum(axis=0))  # (H,)
    return feature @ centred / lengths  # (n,) @ (n, H) -> (H,)


halves = slice(0, n_probe // 2), slice(n_probe // 2, None)
tracked = {}
print(f"{'feature':20s}{'unit':>12s}{'first half':>12s}{'second half':>12s}")
for name, feature in features.items():
    first, second = (correlations(hiddens[half], np.array(feature, dtype=float)[half]) for half in halves)
    unit = int(np.abs(first).argmax())
    tracked[name] = unit, second[unit]
    print(f"{name:20s}{unit:12d}{first[unit]:12.2f}{second[unit]:12.2f}")
assert abs(tracked["space"][1]) > 0.5

# %%
unit = tracked["space"][0]
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
shown = slice(n_probe // 2, n_probe // 2 + 70)
ax.plot(hiddens[shown, unit], "-", color="C1")
spaces = np.flatnonzero(features["space"][shown])
ax.plot(spaces, hiddens[shown, unit][spaces], "o", color="0.2", markerfacecolor="none", label="space")
ax.set_xticks(range(70), [repr(c)[1:-1] if c == "\n" else c for c in sample_text[shown]], fontsize=8)
ax.set(
    xlabel="character read", ylabel=f"unit {unit}", title="One unit knows where words end", ylim=(-1.1, 1.25)
)
ax.legend()
plt.show()

# %% [markdown]
# Where a word ends matters for the next letter, and a unit tracks it. What shrinks from the first half to
# the second was partly luck. And a network this small, after so little reading, is no proof either way
# about larger ones.
#
# ## One step after another
#
# The LSTM's weakness is in its loop: step $t$ cannot begin before step $t - 1$ ends. With the number of
# characters fixed, we trade sequence length against batch: the arithmetic is the same, only the number of
# steps in a row grows.

# %%
throughput = {}
for length in (16, 64, 256, 1024):
    x = torch.randint(vocabulary, (length, 2048 // length), device=device)  # (T, B), always 2048 characters
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        with torch.no_grad():
            model(x)[0].sum().item()  # .item() waits for the device
        seconds.append(time.perf_counter() - started)
    throughput[length] = x.numel() / np.median(seconds)
    rows = f"{length:5d} steps in a row, batch {2048 // length:3d}"
    print(f"{rows}: {throughput[length]:10,.0f} characters a second")

# %% [markdown]
# More cores or a larger accelerator do not shorten that chain. A model that looks at all positions at
# once would have no chain to shorten. That is chapter 12.
#
# ## What to remember
#
# - Bits per character, on text the model has not seen, beside a baseline that counts.
# - Carry the state from piece to piece, and detach it.
# - Temperature and top-k decide how the same model writes.
# - A recurrent network reads one step after another, however much hardware there is.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Do not carry the state: pass `None` at every step. What does it cost, in bits?
# 2. Train three times as long. Which n-gram do you pass?
# 3. Prompt it with "Call me ". Does it know?
#
# ## Sources
#
# - H. Melville, *Moby-Dick; or, The Whale*, 1851: the data.
# - I. H. Witten, T. C. Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37,
#   1991: interpolation.
# - A. Graves, "Generating sequences with recurrent neural networks", 2013, section 3.
# - A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and understanding recurrent networks", 2015, section
#   4.2.
