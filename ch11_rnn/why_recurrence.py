# %% [markdown]
# # 11.1 Why recurrence: order, length and memory
#
# Someone reads you a long row of light-switch clicks and asks whether the light is on at the end. You do
# not write the clicks down. You keep one thing in mind, on or off, and change it at each click. The
# networks of chapters 5 to 9 cannot do that: they take an input of one size, all at once.
#
# **You will build** a measure of what any rule could know from a limited view, then a loop with a memory
# that needs no such view, and the tools to run it on sequences of different lengths. **You need** linear
# layers (5.4) and least squares (2.5).

# %%
import csv
import itertools
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Four clicks, $1, 0, 1, 1$, where $1$ means that the switch was pressed. The light starts dark. After the
# clicks it is on, on, off, on. Each state follows from the one before and one click: the
# *parity* of the clicks so far, odd or even.

# %%
clicks, light, seen = [1, 0, 1, 1], 0, []
for click in clicks:
    light = light ^ click  # exclusive or: a press flips the light
    seen.append(light)
print("clicks", clicks, "  light", seen)
assert seen == [1, 1, 0, 1]

# %% [markdown]
# ## A bag forgets the order
#
# A network of fixed input size needs a fixed-size view of the sequence. One is the *bag*: how often each
# letter occurs. It takes names of any length, but names made of the same letters become one.

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
bags = {}
for name in names:
    bags.setdefault("".join(sorted(name)), []).append(name)
shared = [group for group in bags.values() if len(group) > 1]
n_confused = sum(map(len, shared))
print(f"{n_confused} of {len(names)} names share their bag, for example", max(shared, key=len))
assert n_confused > 500 and bags["amy"][:2] == ["amy", "may"]

# %% [markdown]
# ## A window forgets what is far away
#
# The other view is a *window*: the last $k$ elements. Sometimes it is all one needs. The number of
# sunspots rises and falls in about eleven years. We fit next year's number as a weighted sum of the $k$
# years before, by least squares on the years until 1900, and measure the error on those after.

# %%
with open(HERE / "data" / "sunspots.csv", encoding="utf-8") as file:
    rows = [(float(row["YEAR"]), float(row["SUNACTIVITY"])) for row in csv.DictReader(file)]
years, spots = np.array(rows).T  # each (n,)


def window_error(k):
    """Root mean square error after 1900 of a least-squares forecast from the k years before."""
    views = np.lib.stride_tricks.sliding_window_view(spots, k)[:-1]  # (n - k, k)
    x, y, year = np.column_stack([views, np.ones(len(views))]), spots[k:], years[k:]
    weight = np.linalg.lstsq(x[year <= 1900], y[year <= 1900], rcond=None)[0]  # (k + 1,)
    error = x[year > 1900] @ weight - y[year > 1900]  # (n, k + 1) @ (k + 1,) -> (n,)
    return float(np.sqrt((error * error).mean()))


windows = range(1, 16)
spot_errors = [window_error(k) for k in windows]
print("error by window: " + "  ".join(f"{k}: {spot_errors[k - 1]:.1f}" for k in (1, 2, 5, 9, 15)))
assert spot_errors[8] < 0.8 * spot_errors[0] and spot_errors[8] < 1.05 * min(spot_errors)

# %% [markdown]
# ## What no rule can do
#
# Other questions defeat every window. Let us not train anything, but ask what the *best possible* rule
# could score if it saw only a view. Sequences with the same view get the same answer, so the best answer
# for each view is its more common label. Listing all sequences makes this exact. Both labels count
# equally much.


# %%
def best_accuracy(sequences, labels, view):
    """Highest accuracy of any rule that sees only view(sequence); each label (0, 1) has half the weight.

    Raises ValueError where the labels are not both there.
    """
    sizes = Counter(labels)
    if set(sizes) != {0, 1}:
        raise ValueError(f"labels must be 0 and 1, both at least once, got {sorted(sizes)}")
    weights = {}
    for sequence, label in zip(sequences, labels, strict=True):
        weights.setdefault(view(sequence), [0.0, 0.0])[label] += 0.5 / sizes[label]
    return sum(max(pair) for pair in weights.values())


# %% [markdown]
# Three questions about strings of ten symbols. *Parity*: is the number of ones odd? *Recall*: what was the
# symbol five places before the last? *Brackets*: among strings with as many "(" as ")", does every
# bracket close one that is open, as in "(()())" and unlike "())("?

# %%
length, lag = 10, 5
strings = ["".join(symbols) for symbols in itertools.product("01", repeat=length)]
halves = [s.replace("0", "(").replace("1", ")") for s in strings if s.count("1") == length // 2]


def balanced(string):
    """1 if every bracket closes an open one and none stays open, else 0."""
    depth = 0
    for symbol in string:
        depth += 1 if symbol == "(" else -1
        if depth < 0:
            return 0
    return int(depth == 0)


questions = {
    "parity": (strings, [string.count("1") % 2 for string in strings]),
    "recall": (strings, [int(string[-1 - lag]) for string in strings]),
    "brackets": (halves, [balanced(string) for string in halves]),
}
accuracies = {}
print(f"{'question':20s}{'bag':>12s}" + "".join(f"{f'window {k}':>12s}" for k in (1, 5, 6, 9, 10)))
for name, (sequences, labels) in questions.items():
    bag = best_accuracy(sequences, labels, lambda s: "".join(sorted(s)))
    curve = [best_accuracy(sequences, labels, lambda s, k=k: s[-k:]) for k in range(1, length + 1)]
    accuracies[name] = bag, curve
    print(f"{name:20s}{bag:12.3g}" + "".join(f"{curve[k - 1]:12.3g}" for k in (1, 5, 6, 9, 10)))

# %% [markdown]
# Recall is a coin flip until the window reaches back far enough, and certain from there. Parity needs
# every single symbol: one symbol outside the window, and nothing is known. It is the bag that knows it.
# The brackets defeat the bag, and a window only gets better as it grows.

# %%
assert accuracies["recall"][1] == [0.5] * lag + [1.0] * (length - lag)
assert accuracies["parity"] == (1.0, [0.5] * (length - 1) + [1.0])
assert np.isclose(accuracies["brackets"][0], 0.5) and accuracies["brackets"][1][4] < 0.95

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(windows, spot_errors, "o-", color="C1")
left.set(xlabel="window (years)", ylabel="forecast error (sunspots)", ylim=0)
left.set_title("Sunspots: a window of nine years is enough")
for (name, (_, curve)), style in zip(accuracies.items(), ("o-", "s--", "^-.")):
    right.plot(range(1, length + 1), curve, style, label=name)
right.set(xlabel="window (symbols)", ylabel="accuracy of the best possible rule")
right.set_title("A window fails where the past is farther away")
right.legend(loc=(0.03, 0.25))
plt.show()

# %% [markdown]
# ## A state: what is worth keeping of the past
#
# The light switch needs one bit; the brackets need a counter, and whether it ever fell below zero. Neither
# needs the sequence itself. A *state* $h$ is a summary that is updated with each element, by the same rule
# at each step:
#
# $$h_t = f(h_{t-1}, x_t) .$$
#
# A rule that does not change with $t$ works for any length.


# %%
def recur(step, state, sequence):
    """States after each element: state = step(state, element)."""
    states = []
    for element in sequence:
        state = step(state, element)
        states.append(state)
    return states


print("light:", recur(lambda light, click: light ^ click, 0, clicks))
print("open brackets:", recur(lambda depth, symbol: depth + (1 if symbol == "(" else -1), 0, "(()())"))

# %% [markdown]
# ## The recurrent cell: a layer that reads its own output
#
# Now let the rule be a neural layer, so that it can be learned. It takes the element and the state before,
# each through its own weight matrix, and tanh bounds what comes out:
#
# $$h_t = \tanh(W_{ih}\,x_t + W_{hh}\,h_{t-1} + b) .$$
#
# $W_{ih}$ leads from the input to the *hidden state*, as the state of a network is called, $W_{hh}$ from
# one hidden state to the next. The weights are the same at every step: they are *shared over time*, as a
# convolution shares its weights over space (9.1).


# %%
def rnn(weight_ih, weight_hh, bias, x, mask=None):
    """States (B, T, H) of a tanh cell that starts from zero; x: (B, T, D), B sequences of T steps.

    mask: (B, T), True where there is an element. Elsewhere the state stays as it was. Raises ValueError
    where the mask does not fit x.
    """
    if mask is not None and mask.shape != x.shape[:2]:
        raise ValueError(f"mask {mask.shape} for x {x.shape}")
    state, states = np.zeros((len(x), len(bias))), []
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ weight_ih.T + state @ weight_hh.T + bias)  # (B, D) @ (D, H) + (B, H) @ (H, H)
        state = new if mask is None else np.where(mask[:, t, None], new, state)  # (B, 1) chooses in (B, H)
        states.append(state)
    return np.stack(states, axis=1)  # T of (B, H) -> (B, T, H)


# %% [markdown]
# ## Two units that know parity
#
# Lesson 3.5 solved exclusive or with two hidden units: one, say $u$, for "at least one", and $v$ for
# "both". Their difference is the answer. Here the two inputs are the click $x$ and the old light, and the
# old light is the difference of the same two units. With tanh they are near $\pm 1$, so their difference
# is halved. Each unit takes the tanh of its row:
#
# $$g\left(x + \frac{u - v}{2} - \begin{pmatrix} 0.5 \\ 1.5 \end{pmatrix}\right) .$$
#
# The gain $g$ makes tanh a switch. Any error in the state shrinks with each step, so it never piles up.

# %%
gain = 10.0
weight_ih = gain * np.array([[1.0], [1.0]])  # (2, 1)
weight_hh = gain * np.array([[0.5, -0.5], [0.5, -0.5]])  # (2, 2)
bias = gain * np.array([-0.5, -1.5])  # (2,)

print(f"{'length':20s}{'right':>12s}")
for n_clicks in (4, 10, 100, 10_000):
    x = rng.integers(2, size=(20, n_clicks, 1))
    states = rnn(weight_ih, weight_hh, bias, x)  # (20, n_clicks, 2)
    light = (states[:, :, 0] - states[:, :, 1]) / 2  # (20, n_clicks)
    parity = np.cumsum(x[:, :, 0], axis=1) % 2
    print(f"{n_clicks:<20d}{np.mean((light > 0.5) == parity):12.1%}")
    assert abs(light - parity).max() < 1e-3

# %% [markdown]
# ## Many to one, many to many, one to many
#
# The same loop serves three kinds of task. Read only the last state: *many to one*, as in naming the
# language of a sentence. Read every state: *many to many*, as in tagging each word. Give one element and
# then feed each output back as the next input: *one to many*, as in writing a text from its first letter.

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
kinds = {"many to one": ("xxxx", "...y"), "many to many": ("xxxx", "yyyy"), "one to many": ("x...", "yyyy")}
box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "0.4"}
arrow = {"arrowstyle": "-|>", "color": "0.4", "shrinkA": 10, "shrinkB": 10}
for ax, (kind, (bottom, top)) in zip(axes, kinds.items()):
    for t in range(4):
        ax.text(t, 1, f"$h_{t + 1}$", ha="center", va="center", bbox=box)
        if t:
            ax.annotate("", (t, 1), (t - 1, 1), arrowprops=arrow)
        if bottom[t] == "x":
            ax.text(t, 0, f"$x_{t + 1}$", ha="center", va="center", color="C0")
            ax.annotate("", (t, 1), (t, 0), arrowprops=arrow)
        if top[t] == "y":
            ax.text(t, 2, f"$y_{t + 1}$", ha="center", va="center", color="C1")
            ax.annotate("", (t, 2), (t, 1), arrowprops=arrow)
        if t and bottom[t] == ".":
            ax.annotate("", (t, 1), (t - 1, 2), arrowprops={**arrow, "linestyle": "--", "color": "C1"})
    ax.set(xlim=(-0.5, 3.5), ylim=(-0.3, 2.3), title=kind)
    ax.axis("off")
fig.suptitle("One cell, three tasks: what differs is where it is fed and where it is read")
plt.show()

# %% [markdown]
# ## Sequences of different lengths in one batch
#
# A batch is a block of numbers, and names are not equally long. *Padding* fills the short ones up. But the
# loop goes on through the padding and spoils the last state. *Masking* freezes the state where a name has
# ended. Then the last column holds, for each name, what running it alone gives.

# %%
batch = ["al", "christopher", "eve", "noah"]
n_hidden = 5
codes = [np.array([ord(letter) - ord("a") for letter in name]) for name in batch]
lengths = np.array([len(code) for code in codes])
mask = np.arange(lengths.max()) < lengths[:, None]  # (T,) < (B, 1) -> (B, T)
x = np.zeros((*mask.shape, 26))
x[mask] = np.eye(26)[np.concatenate(codes)]  # (n_letters, 26), row by row

parameters = [
    rng.normal(scale=0.5, size=shape) for shape in ((n_hidden, 26), (n_hidden, n_hidden), (n_hidden,))
]
alone = np.concatenate([rnn(*parameters, x[i : i + 1, :n])[:, -1] for i, n in enumerate(lengths)])  # (B, H)
padded = rnn(*parameters, x)[:, -1]
masked = rnn(*parameters, x, mask)[:, -1]
print("largest error of the last state, by name")
for name, without, within in zip(batch, abs(padded - alone).max(axis=1), abs(masked - alone).max(axis=1)):
    print(f"{name:20s}{without:12.3g}{within:12.3g}")
np.testing.assert_allclose(masked, alone, rtol=1e-10, atol=1e-12)
spoiled = abs(padded - alone).max(axis=1) > 0.01
assert spoiled.tolist() == (lengths < lengths.max()).tolist()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.RNN` is this loop. Instead of a mask it takes a *packed* batch: all the first letters, then all the
# second letters of names that have one, and so on. No step is spent on padding. We copy the weights and
# compare the last states.

# %%
model = nn.RNN(26, n_hidden, batch_first=True, dtype=torch.float64)
with torch.no_grad():
    for ours, theirs in zip(parameters, (model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0)):
        theirs.copy_(torch.from_numpy(ours))
    model.bias_hh_l0.zero_()

sequences = [torch.from_numpy(x[i, :n]) for i, n in enumerate(lengths)]  # each (n, 26)
block = pad_sequence(sequences, batch_first=True)  # (B, T, 26)
packed = pack_padded_sequence(block, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False)
with torch.no_grad():
    _, last = model(packed)  # (1, B, H), in the order of the batch
print(f"a padded batch has {mask.size} steps, the packed one {len(packed.data)}")
print("letters at each step:", packed.batch_sizes.tolist())
largest = abs(last[0].numpy() - alone).max()
print(f"largest difference: {largest:.1e}")
assert largest < 1e-12 and len(packed.data) == mask.sum()

# %% [markdown]
# ## What to remember
#
# - A bag loses the order, a window the past. What a view does not show, no network behind it can learn.
# - A state is a summary of the past, updated by one rule. Shared weights make it fit any length.
# - That a small cell *can* hold a memory does not mean that training *finds* it: see the rest of the
#   chapter.
# - Padding makes a batch rectangular. Mask or pack it, or the state reads what is not there.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Take out the assert of the parity cell and lower `gain` step by step. Where does the cell begin to
#    forget, and how does it show?
# 2. Ask whether the ones in a string are more than half. What do bag and window score? Which
#    state would do?
# 3. Reverse each name in the padded batch, with the padding in front. Is a mask still needed?
#
# ## Sources
#
# - J. L. Elman, "Finding structure in time", *Cognitive Science* 14, 1990: the cell.
# - M. Minsky, S. Papert, *Perceptrons*, 1969: what limited views of parity cannot compute.
# - G. U. Yule, "On a method of investigating periodicities in disturbed series", *Phil. Trans. R. Soc.
#   A* 226, 1927: sunspots as a weighted sum of the years before.
