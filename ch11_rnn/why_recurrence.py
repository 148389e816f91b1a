# %% [markdown]
# # 11.1 Why recurrence: order, length and memory
#
# Someone reads you a long row of clicks of a light switch and asks whether the light is on at the end. You
# need not write the clicks down, because it is enough to keep one thing in mind, on or off, and to change
# it at each click. Speech, text, music and measurements over time come as such rows, called *sequences*:
# their elements arrive one after the other, their order matters, and no length is fixed.
#
# The networks of chapters 5 to 10 look at an input all at once, and most of them at an input of one fixed
# size. How far does one get with that on sequences, and what does a memory add?
#
# **You will build** a measure of what any rule could know from a limited view of a sequence, a network
# with a memory that needs no such view, and batches of sequences of different lengths. **You need**
# linear layers (5.4), least squares (2.5), validation data (1.4), convolutions (9.1) and XOR with two
# hidden units (3.5).

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
# Let $x_t$ be one if the switch is pressed at time $t$, and let $h_t$ be one if the light is on. A press
# flips the light, which is the exclusive or of both:
#
# $$\begin{aligned}
#   h_t &= h_{t-1} \oplus x_t, \qquad h_0 = 0 \\
#   x &= 1, 0, 1, 1 \\
#   h_1 &= 0 \oplus 1 = 1, \quad h_2 = 1 \oplus 0 = 1, \quad h_3 = 1 \oplus 1 = 0, \quad h_4 = 0 \oplus 1 = 1
# \end{aligned}$$
#
# So the light says whether the number of presses so far is odd, which is called their *parity*. A number
# that sums up the past, and is updated with each element by the same rule, is a *state*. The function
# below does nothing else, for any rule.


# %%
def recur(step, state, sequence):
    """The states after each element: state = step(state, element)."""
    states = []
    for element in sequence:
        state = step(state, element)
        states.append(state)
    return states


def flip(light, click):
    """The light after a click: exclusive or."""
    return light ^ click


print("light:", recur(flip, 0, [1, 0, 1, 1]))
assert recur(flip, 0, [1, 0, 1, 1]) == [1, 1, 0, 1]

# %% [markdown]
# ## A bag of letters forgets the order
#
# Without a state, a network of fixed size needs a view of the sequence that has a fixed size. One such
# view is the *bag*, which says how often each letter occurs, whatever the order, and which takes names of
# any length. How many names can it not tell from others?

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
bags = {}
for name in names:
    bag = "".join(sorted(name))  # names with the same letters give the same string
    bags.setdefault(bag, []).append(name)
shared_bags = [group for group in bags.values() if len(group) > 1]
n_confused = sum(len(group) for group in shared_bags)
print(f"{n_confused} of {len(names)} names share their bag with another, for example")
print(", ".join(max(shared_bags, key=len)))

# %% [markdown]
# To a network that sees bags, each of these groups is a single name.
#
# ## A window forgets what is far away
#
# The other view is a *window*, the last $k$ elements. A layer that applies the same weights to the window
# at each place is a convolution along the sequence (9.1), and a stack of such layers sees a wider window,
# but still one of fixed width. Sometimes that is all one needs, as the sunspots show, whose number rises
# and falls in about eleven years. We forecast each year as a weighted sum of the $k$ years before, with
# weights by least squares on the years until 1850. Which $k$ is enough? The years until 1920 choose it,
# and the years after are the test. (For a table of your own, change the names of the columns here and the
# years in `window_errors`; about files from Excel, see 3.1.)

# %%
with open(HERE / "data" / "sunspots.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
for row in rows:
    if not (row.get("YEAR") and row.get("SUNACTIVITY")):
        raise ValueError(f"no YEAR or no SUNACTIVITY in the row {row} (3.1 says how)")
years = np.array([float(row["YEAR"]) for row in rows])  # (n,)
spots = np.array([float(row["SUNACTIVITY"]) for row in rows])  # (n,)
if np.any(np.diff(years) != 1):
    raise ValueError("the years must follow each other without a gap")


def window_errors(k, fit_until=1850, choose_until=1920):
    """Root mean square errors of the forecast from k years: on the validation years and on those after.

    Raises ValueError if one of the three periods has no year to forecast.
    """
    windows = np.lib.stride_tricks.sliding_window_view(spots, k)  # (n - k + 1, k): row i starts at year i
    windows = windows[:-1]  # (n - k, k): nothing is known after the last one
    x = np.column_stack([windows, np.ones(len(windows))])  # (n - k, k + 1)
    y = spots[k:]  # (n - k,)
    year = years[k:]
    fitted = year <= fit_until
    validation = (year > fit_until) & (year <= choose_until)
    test = year > choose_until
    if not (fitted.any() and validation.any() and test.any()):
        raise ValueError(f"no years to forecast until {fit_until}, until {choose_until}, or after, from {k}")
    weights = np.linalg.lstsq(x[fitted], y[fitted], rcond=None)[0]  # (k + 1,)
    squares = (x @ weights - y) ** 2  # (n - k, k + 1) @ (k + 1,) -> (n - k,)
    return np.sqrt(squares[validation].mean()), np.sqrt(squares[test].mean())


WIDTHS = range(1, 21)
spot_errors = np.array([window_errors(k) for k in WIDTHS])  # (20, 2)
best_width = WIDTHS[spot_errors[:, 0].argmin()]
print(f"best window on the validation years: {best_width} years")
for k in (1, 2, 10, 20):
    print(
        f"window {k:2d}: validation error {spot_errors[k - 1, 0]:.1f}, test error {spot_errors[k - 1, 1]:.1f}"
    )

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(WIDTHS, spot_errors[:, 0], "o-", label="1851 to 1920, validation")
ax.plot(WIDTHS, spot_errors[:, 1], "s--", label="after 1920, test")
ax.axvline(best_width, color="0.7", linewidth=0.8, zorder=0, label="lowest on validation")
ax.set(xlabel="window (years)", ylabel="forecast error (sunspots)", ylim=0, xticks=WIDTHS[1::2])
ax.set_title("Sunspots, forecast from the years before")
ax.legend()
plt.show()

# %% [markdown]
# From one year to two the error falls steeply, and then hardly any more. One number says how high the
# curve is, and two say in addition whether it rises or falls, which is nearly all that a weighted sum can
# use. The validation years prefer two, while the test years would have preferred ten, but by less than the
# difference between the two periods, and we may not choose by them. (With other years for the choice the
# lowest point lies anywhere between two and ten.) So here a window is all one needs, and a narrow one.
#
# ## What no rule can do
#
# Other questions need a wide window, or one as wide as the whole sequence. To see that, we train nothing,
# but ask how well the _best possible_ rule could answer if it saw only a certain view. Sequences with the
# same view must get the same answer, so for each view the best answer is the more common label. If we list
# all sequences, this can be computed exactly. Both labels count equally, however often they occur, so
# guessing gives one half.


# %%
def best_accuracy(views, labels):
    """Highest accuracy of any rule that sees only each sequence's view; labels 0 and 1 count half each.

    Raises ValueError if one of the labels is missing or a sequence has none.
    """
    sizes = Counter(labels)
    if set(sizes) != {0, 1}:
        raise ValueError(f"labels must be 0 and 1, both at least once, got {sorted(sizes)}")
    weights = {}
    for view, label in zip(views, labels, strict=True):
        pair = weights.setdefault(view, [0.0, 0.0])  # the weights of labels 0 and 1 behind this view
        pair[label] += 0.5 / sizes[label]
    return sum(max(pair) for pair in weights.values())


# %% [markdown]
# Our three questions are about strings of ten symbols. Parity: is the number of ones odd? Recall: what was
# the symbol five places before the last? Brackets: if a string has as many "(" as ")", does every bracket
# close one that is open, as in "(()())" but not in "())("? Which view is enough for which question?

# %%
LENGTH = 10
LAG = 5
strings = ["".join(symbols) for symbols in itertools.product("01", repeat=LENGTH)]
halves = [s.replace("0", "(").replace("1", ")") for s in strings if s.count("1") == LENGTH // 2]


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
    "recall": (strings, [int(string[-1 - LAG]) for string in strings]),
    "brackets": (halves, [balanced(string) for string in halves]),
}
bag_accuracy = {}
window_accuracy = {}
print(f"{'question':12s}{'bag':>10s}" + "".join(f"{f'window {k}':>11s}" for k in (1, 5, 6, 9, 10)))
for name, (sequences, labels) in questions.items():
    bag_accuracy[name] = best_accuracy(["".join(sorted(s)) for s in sequences], labels)
    window_accuracy[name] = []
    for k in range(1, LENGTH + 1):
        window_accuracy[name].append(best_accuracy([s[-k:] for s in sequences], labels))
    shown = "".join(f"{window_accuracy[name][k - 1]:11.3g}" for k in (1, 5, 6, 9, 10))
    print(f"{name:12s}{bag_accuracy[name]:10.3g}{shown}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, curve), style in zip(window_accuracy.items(), ("o-", "s--", "^-.")):
    ax.plot(range(1, LENGTH + 1), curve, style, label=name)
ax.set(xlabel="window (symbols)", ylabel="accuracy", ylim=(0.45, 1.03))
ax.set_title("The best possible rule on strings of ten symbols")
ax.legend()
plt.show()

# %% [markdown]
# For recall a window of five symbols or fewer is as good as guessing, and one of six or more always gives
# the right answer. Parity needs every single symbol, since with nine of the ten in view nothing is known.
# But the bag, which does not show the order, is enough for it. About the brackets the bag knows nothing,
# and a window answers better the wider it is, until nine symbols settle the answer. (The tenth follows
# from them, because there are as many "(" as ")".) All three are solved by a small state, which is one bit
# for parity, the last six symbols for recall, and for the brackets the number that are open and whether it
# was ever below zero. However long the sequence is, each of these states is a few numbers.
#
# ## The recurrent cell: a layer that reads its own output
#
# Now let the rule be a layer, so that it can be learned. It takes the element and the state before it,
# each through a weight matrix of its own, and tanh bounds the sum:
#
# $$h_t = \tanh(W_{ih}\,x_t + b_{ih} + W_{hh}\,h_{t-1} + b_{hh}) .$$
#
# This is a *recurrent cell*, and $h_t$ is its *hidden state*. $W_{ih}$ leads from the input to the hidden
# state and $W_{hh}$ from each hidden state to the next. The second bias is superfluous, but PyTorch has
# it. The weights are the same at each step, as those of a convolution are the same at each place, and
# that is why the rule fits sequences of any length.


# %%
def rnn(x, p, mask=None):
    """Hidden states (B, T, H) of a tanh cell that starts from zero, for x (B, T, C): B sequences of T steps.

    p: W_ih (H, C), W_hh (H, H), b_ih and b_hh (H,). mask: (B, T), True where there is an element; elsewhere
    the state stays as it was. Raises ValueError if the mask does not fit x.
    """
    if mask is not None and mask.shape != x.shape[:2]:
        raise ValueError(f"the mask has shape {mask.shape} but x {x.shape}")
    state = np.zeros((len(x), len(p["b_hh"])), dtype=p["b_hh"].dtype)  # (B, H)
    states = []
    for t in range(x.shape[1]):
        from_input = x[:, t] @ p["W_ih"].T + p["b_ih"]  # (B, C) @ (C, H) -> (B, H)
        from_state = state @ p["W_hh"].T + p["b_hh"]  # (B, H) @ (H, H) -> (B, H)
        new = np.tanh(from_input + from_state)
        if mask is not None:
            new = np.where(mask[:, t, None], new, state)  # (B, 1) chooses rows of (B, H)
        state = new
        states.append(state)
    return np.stack(states, axis=1)  # T of (B, H) -> (B, T, H)


# %% [markdown]
# ## Parity with two hidden units
#
# Can a small cell of this kind hold the light's state over thousands of clicks? We choose its weights by
# hand, as lesson 3.5 solved exclusive or with two hidden units: one of them, here $u$, stands for "at
# least one of the two inputs" and the other, $v$, for "both", so the answer is their difference. Here the
# two inputs are the click $x$ and the light before, and the light before is the difference of the same two
# units. Since tanh gives $\pm 1$ instead of 0 and 1, the difference is halved:
#
# $$u = \tanh\left(g\left(x + \tfrac{u - v}{2} - 0.5\right)\right), \qquad
#   v = \tanh\left(g\left(x + \tfrac{u - v}{2} - 1.5\right)\right) .$$
#
# A large gain $g$ makes tanh a switch.

# %%
GAIN = 10.0
parity_cell = {
    "W_ih": GAIN * np.array([[1.0], [1.0]]),  # (2, 1)
    "W_hh": GAIN * np.array([[0.5, -0.5], [0.5, -0.5]]),  # (2, 2)
    "b_ih": GAIN * np.array([-0.5, -1.5]),  # (2,)
    "b_hh": np.zeros(2),
}
parity_errors = {}
print(f"{'clicks':12s}{'right':>10s}{'largest error':>16s}")
for n_clicks in (4, 10, 100, 10_000):
    x = rng.integers(2, size=(20, n_clicks, 1))
    states = rnn(x, parity_cell)  # (20, n_clicks, 2)
    light = (states[:, :, 0] - states[:, :, 1]) / 2  # (20, n_clicks)
    parity = np.cumsum(x[:, :, 0], axis=1) % 2
    parity_errors[n_clicks] = np.abs(light - parity).max()
    print(f"{n_clicks:<12d}{np.mean((light > 0.5) == parity):10.1%}{parity_errors[n_clicks]:16.1e}")

# %% [markdown]
# The cell is right after 10,000 clicks as it is after four, and the error does not grow, because each step
# pushes both units back to $\pm 1$. That shows what a recurrent cell _can_ hold, but whether training
# _finds_ such weights is another question, and lesson 11.3 shows what stands in the way.
#
# ## Sequences of different lengths in one batch
#
# A batch is one block of numbers, but names have different lengths. As with images (9.1), padding fills
# the short ones up, here with zeros. But the loop goes on through the padding, and the last column no
# longer holds the state after a name's last letter. With a mask (2.2) of the real elements, the cell can
# leave the state alone where a name has ended. We run each name alone, then the padded batch without and
# with the mask, and compare the states in the last column.

# %%
N_HIDDEN = 5
batch = ["al", "christopher", "eve", "noah"]


def one_hot_letters(name):
    """One-hot rows (n, 26) of a name's letters; raises ValueError for other characters than a to z."""
    codes = ["abcdefghijklmnopqrstuvwxyz".find(letter) for letter in name]
    if not name or -1 in codes:
        raise ValueError(f"a name must consist of the letters a to z, got {name!r}")
    return np.eye(26)[codes]


sequences = [one_hot_letters(name) for name in batch]  # each (n, 26)
lengths = np.array([len(sequence) for sequence in sequences])
mask = np.arange(lengths.max()) < lengths[:, None]  # (T,) < (B, 1) -> (B, T)
x = np.zeros((*mask.shape, 26))  # (B, T, 26)
for i, sequence in enumerate(sequences):
    x[i, : len(sequence)] = sequence

cell = {
    "W_ih": rng.normal(scale=0.5, size=(N_HIDDEN, 26)),
    "W_hh": rng.normal(scale=0.5, size=(N_HIDDEN, N_HIDDEN)),
    "b_ih": rng.normal(scale=0.5, size=N_HIDDEN),
    "b_hh": rng.normal(scale=0.5, size=N_HIDDEN),
}
alone = np.concatenate([rnn(sequence[None], cell)[:, -1] for sequence in sequences])  # B of (1, H) -> (B, H)
without_mask = rnn(x, cell)[:, -1]  # (B, H)
with_mask = rnn(x, cell, mask)[:, -1]  # (B, H)
padding_error = np.abs(without_mask - alone).max(axis=1)  # (B,)
masked_error = np.abs(with_mask - alone).max(axis=1)  # (B,)
print(f"{'last state, error':20s}{'without mask':>14s}{'with mask':>12s}")
for name, unmasked, masked in zip(batch, padding_error, masked_error):
    print(f"{name:20s}{unmasked:14.3f}{masked:12.3f}")
np.testing.assert_allclose(with_mask, alone, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Without the mask only the longest name is right. No exception is raised, so this error has to be looked
# for.
#
# ## The same in PyTorch
#
# `nn.RNN` is this loop, but instead of a mask it takes a *packed* batch: all first letters, then the
# second letters of all names that have one, and so on, so that no step is spent on padding. We copy the
# weights and compare the last states and, for the loss $\sum h^2$ over the last states, the gradient of
# $W_{hh}$ with a central difference (2.3) of our loop.

# %%
layer = nn.RNN(26, N_HIDDEN, batch_first=True, dtype=torch.float64)
with torch.no_grad():
    layer.weight_ih_l0.copy_(torch.from_numpy(cell["W_ih"]))
    layer.weight_hh_l0.copy_(torch.from_numpy(cell["W_hh"]))
    layer.bias_ih_l0.copy_(torch.from_numpy(cell["b_ih"]))
    layer.bias_hh_l0.copy_(torch.from_numpy(cell["b_hh"]))

block = pad_sequence([torch.from_numpy(sequence) for sequence in sequences], batch_first=True)  # (B, T, 26)
packed = pack_padded_sequence(block, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False)
_, last = layer(packed)  # (1, B, H): for one layer, in the order of the batch
last.square().sum().backward()
print(f"a padded batch has {mask.size} steps, the packed one {len(packed.data)}")
print("letters at each step:", packed.batch_sizes.tolist())

nudged = []
for nudge in (1e-6, -1e-6):
    W_hh = cell["W_hh"].copy()
    W_hh[1, 2] += nudge
    nudged_cell = {**cell, "W_hh": W_hh}  # as cell, but with this W_hh
    nudged.append(np.sum(rnn(x, nudged_cell, mask)[:, -1] ** 2))
measured_slope = (nudged[0] - nudged[1]) / 2e-6
torch_slope = layer.weight_hh_l0.grad[1, 2].item()
state_difference = np.abs(last[0].detach().numpy() - alone).max()
print(
    f"last states differ by up to {state_difference:.1e}, slopes by {abs(measured_slope - torch_slope):.1e}"
)
assert state_difference < 1e-12
assert abs(measured_slope - torch_slope) < 1e-7
assert len(packed.data) == mask.sum()

# %% [markdown]
# The states agree, and the slope agrees as well as a central difference can. How the gradient of such a
# loop is computed is the subject of the next lesson.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert n_confused > 500, "hundreds of names share their bag with another name"
assert best_width == 2, "the validation years prefer a window of two years"
assert np.all(spot_errors[1] < 0.85 * spot_errors[0]), "two years forecast much better than one"
assert np.all(spot_errors[2:] > 0.85 * spot_errors[1]), "more than two years add little"
assert spot_errors[:, 1].argmin() == 9, "the test years would have preferred ten"
gain_of_ten = spot_errors[1, 1] - spot_errors[9, 1]
assert gain_of_ten < spot_errors[1, 1] - spot_errors[1, 0], "by less than the two periods differ"
assert window_accuracy["recall"] == [0.5] * LAG + [1.0] * (LENGTH - LAG), "recall needs a window of six"
assert window_accuracy["parity"] == [0.5] * (LENGTH - 1) + [1.0], "parity needs every symbol"
assert bag_accuracy["parity"] == 1.0, "a bag knows parity"
assert np.isclose(bag_accuracy["brackets"], 0.5), "a bag knows nothing of the brackets"
rises = np.diff(window_accuracy["brackets"])
assert np.all(rises > -1e-12), "for brackets a wider window is never worse"
assert window_accuracy["brackets"][4] < 0.95, "and half of the string is not enough"
assert window_accuracy["brackets"][7] < 0.999, "nor are eight symbols"
assert np.isclose(window_accuracy["brackets"][8], 1), "but nine settle it"
assert max(parity_errors.values()) < 1e-3, "two units hold the parity of 10,000 clicks"
spoiled = padding_error > 0.01
assert spoiled.tolist() == (lengths < lengths.max()).tolist(), "padding spoils the state of all shorter names"

# %% [markdown]
# ## What to remember
#
# - A bag loses the order, and a window loses the past. What a view does not show, no network behind it
#   can know.
# - A state is a summary of the past that is updated by one rule. Because the weights are shared over time,
#   the rule fits any length.
# - A small cell can hold a memory for very long. Whether training finds such a cell is another question.
# - Padding makes a batch rectangular. Mask it or pack it, or the state reads what is not there.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Lower `GAIN` to 3, then to 2. Where does the parity cell begin to forget, and how does the table show
#    it?
# 2. Add a fourth question, `"majority": (strings, [int(s.count("1") > 5) for s in strings]),`, to
#    `questions`. What will the bag score, and what a window of nine? Which state would be enough?
# 3. From a blank cell at the end: put the padding _in front_ of each name instead of behind it, and run
#    `rnn` without a mask. Is the last state right now? Compare with `alone`, and explain what $b_{ih}$ and
#    $b_{hh}$ have to do with it.
#
# ## Sources
#
# - J. L. Elman, "Finding structure in time", _Cognitive Science_ 14, 1990: the cell.
# - M. Minsky, S. Papert, _Perceptrons_, 1969: what limited views of parity cannot compute. Reproduced:
#   "parity needs every symbol".
# - G. U. Yule, "On a method of investigating periodicities in disturbed series", _Philosophical
#   Transactions of the Royal Society A_ 226, 1927: sunspots as a weighted sum of the years before.
#   Reproduced: "two years forecast much better than one".
