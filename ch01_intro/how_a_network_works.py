# %% [markdown]
# # 1.2 How a network works: votes, committees, and knobs
#
# Picture a jury in which nobody can read. One member knows how to look for a stroke in the middle, another
# for an empty corner, a third for a curve below. Each calls out, loudly or softly, what they found. A
# second jury sits behind a curtain: it sees no picture, hears only the calls, and decides which digit it
# must have been. That is a neural network, and the rest of this lesson opens one.
#
# **You will see** a neuron vote, a network trained from nothing, one digit on its way through it with
# every number on show, and a digit that it gets wrong. **You need** the digits of lesson 1.1. You may
# leave the code folded.

# %% [markdown]
# ## A neuron is a weighted vote
#
# Should we go to the beach? Sun speaks for it, wind against it, rain loudly against it. You add up what
# speaks for and against, each with its own weight, and go if the total is above zero.
#
# A *neuron* does this with pixels. Each square of the picture has a *knob*: turned up, ink in this square
# speaks for the answer; turned down, ink speaks against it. Squares without ink stay silent. One more knob
# is the neuron's opinion before it has looked at all. Here is a neuron that asks "is this a one?". Its
# knobs are set to the difference between the average one and the average zero of lesson 1.1.

# %%
# Draws two digits, a neuron's knobs, and the vote of every square, with the total.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(labels))
practice, new = order[:1000], order[1000:]  # examples to learn from, and digits kept back for the exam

average_zero, average_one = (images[practice][labels[practice] == digit].mean(axis=0) for digit in (0, 1))
knobs = average_one - average_zero  # (64,)
opinion = (average_zero @ average_zero - average_one @ average_one) / 2  # (64,) @ (64,) -> a number
zero, one = (new[labels[new] == digit][0] for digit in (0, 1))
totals = {which: images[which] @ knobs + opinion for which in (zero, one)}  # (64,) @ (64,) -> a number
assert totals[zero] < 0 < totals[one]

fig, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
for row, which, name in zip(axes, (zero, one), ("zero", "one")):
    row[0].imshow(images[which].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    row[1].imshow(knobs.reshape(8, 8), cmap="RdBu", vmin=-1, vmax=1)
    row[2].imshow((images[which] * knobs).reshape(8, 8), cmap="RdBu", vmin=-1, vmax=1)
    row[0].set_title(f"the ink of a {name}")
    row[1].set_title("the knobs (blue: for, red: against)")
    row[2].set_title(f"ink × knob: the votes\ntotal with the opinion: {totals[which]:+.1f}")
    for ax in row:
        ax.set(xticks=[], yticks=[])
fig.suptitle("The votes against outweigh those for in the zero, and lose in the one")
plt.show()

# %% [markdown]
# ## A layer is a committee
#
# One neuron answers one question. A *layer* is a committee of neurons that all look at the same picture,
# each with knobs of its own. We let every member stay silent when its total is below zero, and call out
# its total when it is above: the louder, the surer.
#
# Behind it sits the second committee: ten neurons, one for each digit. They weigh the calls of the first
# committee as those weighed the ink. *Depth* means committees that listen to committees. Their ten totals
# become shares of one whole, and the share of a digit is the network's *confidence* in it.
#
# Here is such a network on the day it was built. All knobs are set at random, so it looks for nothing in
# particular and knows nothing.


# %%
# Draws an untrained network: what each first-committee neuron looks for, its call, and the ten confidences.
def confidence(totals):
    """Shares of one whole that grow with the totals; (n, 10) -> (n, 10), every row adds up to 1."""
    shares = np.exp(totals - totals.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def forward(images, network):
    """Calls (n, 12) of the first committee and confidences (n, 10) of the second for images (n, 64)."""
    weight1, opinion1, weight2, opinion2 = network
    calls = np.maximum(images @ weight1.T + opinion1, 0)  # (n, 64) @ (64, 12) -> (n, 12)
    return calls, confidence(calls @ weight2.T + opinion2)  # (n, 12) @ (12, 10) -> (n, 10)


n_neurons = 12
weight1 = rng.normal(scale=0.2, size=(n_neurons, 64))
weight2 = rng.normal(scale=0.2, size=(10, n_neurons))
network = [weight1, np.full(n_neurons, 0.5), weight2, np.zeros(10)]
untrained = [part.copy() for part in network]
n_knobs = sum(part.size for part in network)
seven = new[labels[new] == 7][0]
calls, shares = (rows[0] for rows in forward(images[[seven]], untrained))
assert shares.max() < 0.4

fig, axes = plt.subplots(2, n_neurons + 1, figsize=(14, 4), layout="constrained", height_ratios=[1, 1.3])
axes[0, 0].imshow(images[seven].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
axes[0, 0].set_title("a seven")
for ax, weight, call in zip(axes[0, 1:], weight1, calls):
    ax.imshow(weight.reshape(8, 8), cmap="RdBu", vmin=-0.6, vmax=0.6)
    ax.set_title(f"call {call:.2f}" if call else "silent")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
ax = fig.add_subplot(2, 1, 2)
ax.bar(range(10), 100 * shares, color=["C1" if digit == 7 else "0.7" for digit in range(10)])
ax.set(xticks=range(10), ylim=(0, 100), xlabel="digit", ylabel="confidence (%)")
fig.suptitle("Before training the members look for nothing, and no digit gets much confidence")
plt.show()
print(f"This network has {n_knobs} knobs.")

# %% [markdown]
# ## Training is turning knobs
#
# Nobody could set that many knobs by hand. Imagine instead a shower with one tap and cold water: you turn
# the tap a little, feel whether it got better, and turn on in the direction that helped.
#
# To feel "better" the network needs a number for how wrong it is: the *loss*. It is large where little
# confidence went to the right digit, and zero where all of it did. Here we take one knob of the untrained
# network, turn it through its whole range, and leave the others alone. The loss makes a valley, and the
# slope under our feet says which way to turn.


# %%
# Draws the loss as one knob is turned, where the knob stands, and which way is down.
def loss(images, labels, network):
    """How wrong the network is: minus the logarithm of its confidence in the right digit, on average."""
    shares = forward(images, network)[1]
    return -np.log(shares[np.arange(len(labels)), labels]).mean()


def losses_along(knob, values, part):
    """The loss on the practice digits with one knob of `part` turned to each of the values, then put back."""
    before, results = part[knob], []
    for value in values:
        part[knob] = value
        results.append(loss(images[practice], labels[practice], network))
    part[knob] = before
    return np.array(results)


knob = (4, 5)  # how much the call of the sixth member speaks for "four"
turns = np.linspace(-2, 1, 31)
valley = losses_along(knob, turns, weight2)
here, nudge = weight2[knob], 0.01
downhill = -np.sign(np.diff(losses_along(knob, [here - nudge, here + nudge], weight2))[0])
after_turn = losses_along(knob, [here, here + 0.5 * downhill], weight2)
assert after_turn[1] < after_turn[0] and valley.min() < min(valley[0], valley[-1])

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(turns, valley, color="C0", label="loss on the practice digits")
arrow = {"arrowstyle": "-|>", "color": "C1", "linewidth": 2}
ax.annotate("", (here + 0.5 * downhill, after_turn[1]), (here, after_turn[0]), arrowprops=arrow)
ax.plot(here, after_turn[0], "o", color="C1", label="where it stands, and the way to turn it")
ax.set(xlabel="one knob, turned from left to right", ylabel="loss: how wrong, 0 is perfect")
ax.set_title("A turn in the right direction lowers the loss")
ax.legend()
plt.show()

# %% [markdown]
# *Training* does this with all knobs at once. Show the network a handful of digits, feel for each knob
# which way is down, turn all of them a little, and take the next handful. How to feel all the slopes at
# once, without trying each knob, is the great trick of the trade. It is called *backpropagation*, and
# chapter 6 takes it apart.
#
# The two lines below count wrong answers while the network trains: on the digits that it practises on, and
# on new ones. Both fall. The new ones stay a little higher, as an exam is harder than the homework.


# %%
# Draws the wrong answers, on practised and on new digits, as the knobs are turned.
def learning_step(x, y, network, learning_rate):
    """Turn every knob a little downhill for images x (n, 64) of digits y (n,); changes `network`."""
    weight1, opinion1, weight2, opinion2 = network
    calls, blame = forward(x, network)  # (n, 12), (n, 10)
    blame[np.arange(len(y)), y] -= 1
    blame /= len(y)
    blame1 = (blame @ weight2) * (calls > 0)  # (n, 10) @ (10, 12) -> (n, 12)
    weight2 -= learning_rate * blame.T @ calls  # (10, n) @ (n, 12) -> (10, 12)
    opinion2 -= learning_rate * blame.sum(axis=0)
    weight1 -= learning_rate * blame1.T @ x  # (12, n) @ (n, 64) -> (12, 64)
    opinion1 -= learning_rate * blame1.sum(axis=0)


def answers(images, network):
    """The digit with the most confidence for each image, (n,)."""
    return forward(images, network)[1].argmax(axis=1)


n_rounds, batch_size = 40, 50
wrong = {"practised digits": [], "new digits": []}
for turn in range(n_rounds + 1):
    for name, part in zip(wrong, (practice, new)):
        wrong[name].append(100 * np.mean(answers(images[part], network) != labels[part]))
    if turn < n_rounds:
        for batch in rng.permutation(practice).reshape(-1, batch_size):  # (20, batch_size)
            learning_step(images[batch], labels[batch], network, learning_rate=0.2)

print(f"wrong in 100 new digits: before {wrong['new digits'][0]:.0f}, after {wrong['new digits'][-1]:.1f}")
assert wrong["new digits"][0] > 80 and wrong["new digits"][-1] < 8
assert wrong["practised digits"][-1] < wrong["new digits"][-1]

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, line), style in zip(wrong.items(), ("--", "-")):
    ax.plot(line, style, label=name)
ax.set(xlabel="times it has seen all practice digits", ylabel="wrong answers in 100")
ax.set_title("From guessing to reading, a small turn at a time")
ax.legend()
plt.show()

# %% [markdown]
# ## The knobs, before and after
#
# What did the turning do? Below, each column is one member of the first committee. Above are the knobs it
# was born with, below those that it ended with. Blue squares speak for, red ones against, as before.
#
# Nobody told a member what to look for. Some now look for a stroke at one place and against a stroke
# beside it; others are harder to put into words. They were turned until the *whole* committee worked, and
# a member owes nobody an explanation. That is why opening a network is interesting, and not always
# satisfying. And some hardly changed: they fell silent early, and a member that never speaks is never
# corrected.

# %%
# Draws the knobs of all first-committee neurons before and after training, and how far they were turned.
fig, axes = plt.subplots(2, n_neurons, figsize=(14, 3), layout="constrained")
for column, before, after in zip(axes.T, untrained[0], network[0]):
    for ax, weight in zip(column, (before, after)):
        ax.imshow(weight.reshape(8, 8), cmap="RdBu", vmin=-1.2, vmax=1.2)
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("before")
axes[1, 0].set_ylabel("after")
fig.suptitle("Training turned noise into something to look for")
plt.show()


def roughness(weights):
    """How much knobs differ from their right-hand neighbours, against how much they vary; (k, 64)."""
    grid = weights.reshape(-1, 8, 8)  # (k, 64) -> (k, 8, 8)
    return np.mean((grid[:, :, 1:] - grid[:, :, :-1]) ** 2) / grid.var()


rough = [roughness(part[0]) for part in (untrained, network)]
print(f"Neighbouring knobs differ by {rough[0]:.1f} before and {rough[1]:.1f} after (2 is pure chance).")
never_speak = np.flatnonzero(forward(images[practice], network)[0].max(axis=0) == 0)
moved = np.abs(network[0] - untrained[0]).mean(axis=1)  # (12,): how far each member's knobs were turned
print(f"Members that are silent on every practice digit: {len(never_speak)} of {n_neurons}.")
assert rough[1] < 0.85 * rough[0]
assert set(never_speak) == set(np.argsort(moved)[: len(never_speak)])

# %% [markdown]
# ## One digit on its way through
#
# Here is the trained network, with every number on show. On the left the picture, in the middle the calls,
# on the right the ten confidences. A blue line carries support for a digit, a dashed red line speaks
# against it, and the thicker it is, the louder. Only the lines to the network's first and second choice
# are drawn.
#
# The first picture is the seven from above, which meant little to the untrained network. The second is a
# digit that the network gets wrong. Nothing is broken there: the same knobs, the same adding up, and an
# answer that comes out as smoothly as a right one.

# %%
# Draws a digit that is read rightly and one that is not, flowing through the network.
mistakes = new[answers(images[new], network) != labels[new]]
sure = forward(images[mistakes], network)[1].max(axis=1)  # (n_mistakes,)
mistake = mistakes[sure.argmax()]

for which, words in ((seven, "read rightly"), (mistake, "misread, and sure of it")):
    calls, shares = (rows[0] for rows in forward(images[[which]], network))
    fig, ax = plt.subplots(figsize=(10, 5.6), layout="constrained")
    ax.imshow(images[which].reshape(8, 8), cmap="gray_r", extent=(-2.6, -0.6, 1.2, 3.2), vmin=0, vmax=1)
    rows, columns = np.linspace(4.2, 0.2, n_neurons), np.linspace(4.1, 0.3, 10)
    for digit in np.argsort(shares)[-2:]:
        for member in np.flatnonzero(calls):  # the silent ones push nowhere
            push = calls[member] * network[2][digit, member]
            ends = [rows[member], columns[digit]]
            color, style = ("C0", "-") if push > 0 else ("C3", "--")
            ax.plot([1, 4], ends, style, color=color, linewidth=abs(push), zorder=0)
    ax.scatter(np.ones(n_neurons), rows, c=calls, cmap="viridis", s=300, edgecolor="0.3", vmin=0, vmax=8)
    ax.scatter(np.full(10, 4), columns, c=shares, cmap="viridis", s=300, edgecolor="0.3", vmin=0, vmax=1)
    for member, call in enumerate(calls):
        ax.text(0.8, rows[member], f"{call:.1f}" if call else "silent", ha="right", va="center")
    for digit, share in enumerate(shares):
        weight = "bold" if digit == shares.argmax() else "normal"
        ax.text(4.2, columns[digit], f"{digit}:  {100 * share:.1f} %", va="center", weight=weight)
    ax.set(xlim=(-2.8, 5.2), ylim=(-0.1, 4.7), aspect="auto")
    for x, word in ((-1.6, "the ink"), (1, "the calls"), (4, "the confidence")):
        ax.text(x, 4.5, word, ha="center")
    ax.set_title(f"A {labels[which]}, {words}")
    ax.axis("off")
plt.show()
assert answers(images[[seven]], network)[0] == 7 and sure.max() > 0.7

# %% [markdown]
# ## How far to trust the confidence
#
# A confident mistake looks bad. Is the confidence worth anything? We sort the new digits by it and count.
# In the sure group the network is nearly always right, in the unsure group it is wrong far more often. So
# the number carries news. It is no promise, though, and for a picture that is no digit at all it means
# nothing, as lesson 1.1 showed.

# %%
# Draws how often the network is wrong among new digits of low, middle and high confidence.
sureness = forward(images[new], network)[1].max(axis=1)  # (n_new,)
missed = answers(images[new], network) != labels[new]
edges = (0, 0.7, 0.95, 1)
groups = [(sureness > low) & (sureness <= high) for low, high in zip(edges, edges[1:])]
error_rates = [missed[group].mean() for group in groups]
assert error_rates[0] > 3 * error_rates[2] and error_rates[2] < 0.05
names = ("below 70 %", "70 to 95 %", "above 95 %")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=[1, 1.5])
bars = left.bar(names, [100 * rate for rate in error_rates], color="C1")
left.margins(y=0.1)
left.bar_label(bars, [f"{missed[group].sum()} of {group.sum()}" for group in groups])
left.set(xlabel="the network's confidence in its answer", ylabel="wrong answers in 100")
left.set_title("The less sure it is, the more often it is wrong")
worst = mistakes[np.argsort(-sure)[:6]]
right.imshow(np.hstack([np.pad(images[i].reshape(8, 8), 1) for i in worst]), cmap="gray_r")
for place, i in enumerate(worst):
    share = forward(images[[i]], network)[1][0]
    right.text(
        10 * place + 4.5,
        10.5,
        f"a {labels[i]}\nread {share.argmax()}\n{100 * share.max():.0f} %",
        ha="center",
        va="top",
    )
right.set(xticks=[], yticks=[], title="Its most confident mistakes")
right.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# ## What to remember
#
# - A neuron adds up votes, each with its own weight. The weights are the knobs.
# - A layer is a committee looking at the same thing; the next layer listens to its calls only.
# - Training turns every knob a little in the direction in which the loss falls, again and again.
# - Nobody tells a neuron what to look for. It is turned until the whole network works.
# - Confidence is a share of the votes, not a promise.
#
# ## Try it
#
# Predict first, then look again or change one number and run the cells from the top.
#
# 1. In the picture of the flowing seven, find the loudest call. Look up what that member looks for, in the
#    picture of the knobs. Does it fit a seven?
# 2. Change `n_neurons = 12` to `30`, then to `8`. How small may the committee be and still read?
# 3. Change `learning_rate=0.2` to `0.002`: a shy hand on the knobs. What do the two falling lines do?
#
# A cell that stops with `AssertionError` tells you that a sentence of the lesson is no longer true after
# your change. That is a discovery, not damage.
#
# ## Sources
#
# - F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the
#   brain", *Psychological Review* 65, 1958: a neuron that learns its votes.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   *Nature* 323, 1986: hidden neurons find out for themselves what to look for.
# - E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository,
#   1998: the digits.
