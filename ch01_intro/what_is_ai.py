# %% [markdown]
# # 1.1 What is AI: rules, examples, and layers
#
# A sorting machine at the post office has a moment to read the postcode that somebody scribbled on a
# letter. If it takes a one for a seven, the letter travels to another city. You read such digits without
# effort, but try to explain to a friend on the telephone how you tell a zero from a one, and you will
# find that knowing and explaining are two things. So how can a computer do what nobody can quite explain?
#
# There are three answers, and each has a name. A person writes down rules, which is the oldest kind of
# *artificial intelligence*, or AI. The program learns from examples, which is *machine learning*. Or it
# learns from examples in many layers, which is *deep learning*, the method behind today's chatbots,
# translators and photo searches. This lesson gives the same job to all three.
#
# **You will see** a rule that reads digits and the handwriting that defeats it, a program that learns the
# same job, and what layers add. **You need** nothing, not even programming. Words and pictures carry this
# chapter. The code between them only draws the pictures, and each piece begins by saying what it draws,
# so you miss nothing if you never look at it. To fold it away, choose _View_ and then _Collapse All Code_
# in JupyterLab, or open the Command Palette of VS Code and type _Collapse All Cell Inputs_.

# %% [markdown]
# ## On paper first
#
# Here are three pictures of nine squares each, where `#` is ink and `.` is paper: a zero, a one, and a
# picture that somebody has just drawn.
#
# ```
# zero        one         new
# # # #       . # .       . # .
# # . #       . # .       . # .
# # # #       . # .       # # .
# ```
#
# What is the new one? A _rule_ could say that a picture with ink in the centre is a one. This picture has
# ink there, so the rule answers "one". A _comparison_ needs no rule about centres. Lay the new picture
# over the zero and count the squares that differ: two in the top row (the corners), all three in the
# middle row, and one in the bottom row (the right corner), which makes six. Laid over the one, a single
# square differs, the one at the bottom left. The new picture is closer to the one, so the comparison
# answers "one", too.
#
# The two ways agree here, but they are different in kind. The rule came from a person who thought about
# zeros and ones. The comparison needed no such thought, only a zero and a one to compare with.
#
# ## What the computer is given
#
# The digits of this lesson were written by people and scanned. You see a picture, but the computer is
# given sixty-four numbers, one for each square, or *pixel*. The number is 0 for white paper and 16 for
# full ink.

# %%
# Draws one handwritten digit as you see it, and as the computer receives it.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(labels))  # (1797,): all the digits' places, shuffled
train = order[:1000]  # examples to learn from
test = order[1000:]  # digits kept back, to judge what was learned


def draw_digit(ax, image, title=""):
    """Draw an image (64,) as 8 by 8 squares, from white paper to black ink."""
    ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=title)


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw_digit(left, images[0], "What you see: a zero")
draw_digit(right, np.zeros(64), "What the computer gets: 64 numbers")
for pixel, ink in enumerate(digits[0, :64].astype(int)):
    color = "0.7" if ink == 0 else "black"
    right.text(pixel % 8, pixel // 8, ink, ha="center", va="center", color=color)
plt.show()

# %% [markdown]
# The dark ring on the left can be found again on the right, as the numbers around ten. But nothing in
# these numbers says "round", or "hole", or "zero". Whatever a program knows about zeros it has to get
# from somewhere else.
#
# ## The first way: write down a rule
#
# A zero has a hole in its middle, and a one has its stroke there. So look at the four pixels in the
# centre. _If they are more than half ink, answer "one", and if not, answer "zero"._ A person noticed
# something and wrote it down, and most programs have come about in this way. How many of the zeros and
# ones will it read correctly?


# %%
# Draws every zero and one by the ink in its centre, and the threshold of the rule between them.
def middle_ink(images):
    """How dark the four centre pixels are, 0 to 1; images: (n, 64), returns (n,)."""
    return images.reshape(-1, 8, 8)[:, 3:5, 3:5].mean(axis=(1, 2))  # (n, 64) -> (n, 8, 8) -> (n,)


threshold = 0.5  # the rule answers "one" above this much ink
zeros_and_ones = np.flatnonzero(labels < 2)  # (360,): their places among all digits
truth = labels[zeros_and_ones]  # (360,)
ink = middle_ink(images[zeros_and_ones])  # (360,)
misread = (ink > threshold) != truth  # (360,)

fig, ax = plt.subplots(figsize=(10, 3.2), layout="constrained")
height = truth + rng.uniform(-0.25, 0.25, size=len(truth))  # (360,): spread out, so that none hides another
for digit, marker in ((0, "o"), (1, "^")):
    members = (truth == digit) & ~misread
    ax.scatter(ink[members], height[members], marker=marker, facecolor="none", edgecolor="C0", s=25)
ax.scatter(ink[misread], height[misread], marker="x", color="C3", label="misread")
ax.axvline(threshold, color="black", label="the rule's threshold")
ax.set(xlabel="ink in the four centre pixels (0 is paper, 1 is full ink)", yticks=[0, 1])
ax.set(yticklabels=["zeros", "ones"], ylim=(-0.4, 1.4), xlim=(-0.03, 1.03))
ax.set_title("Zeros have little ink in the centre, and most ones have much")
ax.legend(loc="center right")
plt.show()

print(f"The rule reads {np.sum(~misread)} of {len(truth)} digits correctly.")

# %% [markdown]
# Each mark is one handwritten digit. The black line is the rule's *threshold*, the limit at which its
# answer changes, here half of full ink. To the left of the line it answers "zero", to the right of it
# "one". It does well for a single sentence, and every mistake is a one with too little ink in its centre.
# The share of answers that are right is called the *accuracy*, and here it is above nine in ten.
#
# ## Where the rule breaks
#
# What is wrong with those ones, and could a better threshold save the rule?

# %%
# Draws the digits that the rule misreads, and how many it would misread with any other threshold.
failures = zeros_and_ones[misread]
thresholds = np.linspace(0, 0.9, 91)
wrong_zeros = np.array([np.sum(ink[truth == 0] > line) for line in thresholds])  # (91,)
wrong_ones = np.array([np.sum(ink[truth == 1] <= line) for line in thresholds])  # (91,)
fewest = (wrong_zeros + wrong_ones).min()

fig, axes = plt.subplots(1, 8, figsize=(14, 2.2), layout="constrained")
for ax in axes:
    ax.axis("off")
for ax, which in zip(axes, failures):
    ax.axis("on")
    answer = "zero" if labels[which] == 1 else "one"
    draw_digit(ax, images[which], f'read as "{answer}"')
    ax.add_patch(plt.Rectangle((2.5, 2.5), 2, 2, fill=False, edgecolor="C1", linewidth=2))
fig.suptitle("Misread digits, with the four pixels that the rule looks at")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(thresholds, wrong_zeros, "--", color="C0", label="zeros misread")
ax.plot(thresholds, wrong_ones, "-.", color="C1", label="ones misread")
ax.plot(thresholds, wrong_zeros + wrong_ones, color="black", label="together")
ax.axvline(threshold, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="threshold of the rule", ylabel="digits misread", ylim=(0, 60))
ax.set_title("Digits that the rule misreads with each threshold")
ax.legend()
plt.show()

print(f"With {threshold} the rule misreads {misread.sum()} digits, and with the best threshold {fewest}.")

# %% [markdown]
# The misread ones are good ones, but their stroke stands a little to the right of the orange square, or
# leans. With a threshold of 0.4 a few of them would be read correctly, and no zero would be lost. A still
# lower threshold reads more of the ones, but it misreads zeros with a narrow hole: towards the left the
# line of the ones falls and the dashed line of the zeros rises. No threshold brings their sum, the black
# line, to zero. You could add a second rule for ones on the right and a third for narrow zeros, and each
# would have exceptions of its own. Much of artificial intelligence was this patching until about 1990.
#
# ## The second way: learn from examples
#
# Now nobody writes a rule about zeros. Instead we collect zeros that people wrote, lay them on top of
# each other, and take the average of each pixel, and we do the same with ones. For a new digit we ask
# which of the two averages it differs from less, as on paper: square the difference in each pixel and add
# them up.
#
# This is a program that learns. The examples it learns from are its *training set*, and with each example
# comes the right answer, its *label*. What learning leaves behind is called a *model*, and here it is two
# average pictures. Will the model read a one that the rule misread?


# %%
# Draws the average zero and one, a digit that the rule misread, and how it differs from both averages.
def average_pictures(images, labels):
    """The mean image for each label that occurs, in the labels' order; (n, 64) -> (n_labels, 64)."""
    return np.stack([images[labels == label].mean(axis=0) for label in np.unique(labels)])


def differences(images, averages):
    """Squared differences, summed over pixels, of each image (n, 64) from each average (k, 64): (n, k)."""
    return ((images[:, None] - averages) ** 2).sum(axis=-1)  # (n, 1, 64) - (k, 64) -> (n, k, 64) -> (n, k)


train01 = train[labels[train] < 2]  # the zeros and ones of the training set
test01 = test[labels[test] < 2]  # and those kept back
averages = average_pictures(images[train01], labels[train01])  # (2, 64)
newcomer = next((which for which in failures if which in test01), test01[0])  # misread, not trained on
difference = differences(images[[newcomer]], averages)[0]  # (2,)

fig, axes = plt.subplots(1, 5, figsize=(14, 3.6), layout="constrained")
draw_digit(axes[0], averages[0], "the average zero")
draw_digit(axes[1], averages[1], "the average one")
draw_digit(axes[2], images[newcomer], "a digit that\nthe rule misread")
for ax, average, name, amount in zip(axes[3:], averages, ("zero", "one"), difference):
    ax.imshow((images[newcomer] - average).reshape(8, 8), cmap="RdBu", vmin=-1, vmax=1)
    ax.set(xticks=[], yticks=[], title=f"it less the average {name}:\nsum of squares {amount:.1f}")
fig.suptitle("A new digit and two averages (blue: more ink than the average, red: less)")
plt.show()

# %% [markdown]
# Look at the average zero first. It has a hole, although nobody told the program about holes, because
# nearly all zeros have one. On the right the new digit is compared with each average. It differs less
# from the average one, so the model reads it correctly where the rule failed: the comparison uses all
# sixty-four pixels, and the rule looked at four.
#
# ## How many examples does it take?
#
# With no examples a learner knows nothing. With a single example of each digit its success depends on
# luck, because these two examples may be unusual ones. So we try each number of examples a hundred times
# and look at the spread. The learner's answers are judged on digits that were kept back, the *test set*.
# On its training set a program that only remembers would make no mistake, and yet it would be useless for
# the next letter. Where would you expect the learner to pass the rule?

# %%
# Draws the accuracy on the test set as the learner is shown more examples, beside the rule's.
counts = [1, 2, 3, 5, 10, 20, 50]
n_tries = 100
scores = np.zeros((len(counts), n_tries))
for row, n_examples in enumerate(counts):
    for attempt in range(n_tries):
        shuffled = rng.permutation(train01)
        chosen = np.concatenate([shuffled[labels[shuffled] == digit][:n_examples] for digit in (0, 1)])
        learned = average_pictures(images[chosen], labels[chosen])  # (2, 64)
        answers = differences(images[test01], learned).argmin(axis=1)  # (n_test,)
        scores[row, attempt] = np.mean(answers == labels[test01])
learner_accuracy = scores.mean(axis=1)  # (n_counts,)
low, high = np.percentile(100 * scores, (10, 90), axis=1)  # (n_counts,) each
rule_accuracy = np.mean((middle_ink(images[test01]) > threshold) == labels[test01])

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogx(counts, 100 * learner_accuracy, "o-", color="C1", label="the learner, on average")
ax.fill_between(counts, low, high, color="C1", alpha=0.2, label="eight tries in ten lie here")
ax.axhline(100 * rule_accuracy, color="C0", linestyle="--", label="the rule")
ax.set(xlabel="examples of each digit in the training set", ylabel="accuracy on the test set (%)")
ax.set(xticks=counts, xticklabels=counts, title="More examples: better on average, and less luck")
ax.minorticks_off()
ax.legend(loc="lower right")
plt.show()

print(f"On {len(test01)} test digits: the rule {100 * rule_accuracy:.1f} %")
print(f"{'examples of each':20s}{'learner':>12s}")
for n_examples, accuracy in zip(counts, learner_accuracy):
    print(f"{n_examples:<20d}{100 * accuracy:10.1f} %")

# %% [markdown]
# With a single example of each digit the learner is worse than the rule, and how much worse is a matter
# of luck, as the wide band shows. With a handful of examples it passes the rule, and nobody had to think
# of anything. The band narrows to the right because a few unusual digits count for little in an average
# over many. With five other deals of training and test digits, too, the learner passed the rule by the
# fifth example, also when the rule was given the threshold that does best on the training set.
#
# The learner has a second advantage. To tell threes from eights, a person would have to think of a new
# rule. The learner is only shown threes and eights, and not a letter of its program changes. Sorting
# things into one of several kinds is called *classification*, and the kinds are the *classes*. Here are
# all forty-five pairs of digits.

# %%
# Draws how well the same program learns to tell apart the two digits of every pair.
pair_accuracy = np.full((10, 10), np.nan)
for a in range(10):
    for b in range(a):
        pair_train = train[np.isin(labels[train], (a, b))]
        pair_test = test[np.isin(labels[test], (a, b))]
        learned = average_pictures(images[pair_train], labels[pair_train])  # (2, 64): the lower digit first
        answers = np.where(differences(images[pair_test], learned).argmin(axis=1) == 0, b, a)  # (n_test,)
        pair_accuracy[a, b] = np.mean(answers == labels[pair_test])

fig, ax = plt.subplots(figsize=(6, 5), layout="constrained")
ax.imshow(100 * pair_accuracy, cmap="viridis_r", vmin=85, vmax=100)
for (a, b), value in np.ndenumerate(pair_accuracy):
    if b < a:
        ax.text(b, a, f"{100 * value:.0f}", ha="center", va="center", color="white", fontsize=9)
ax.set(xticks=range(9), yticks=range(1, 10), xlim=(-0.5, 8.5), ylim=(9.5, 0.5))
ax.set(xlabel="one digit", ylabel="the other digit", title="Test accuracy for every pair of digits (%)")
ax.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Dark squares are pairs that the program tells apart without a mistake, or nearly, and the brighter ones
# are pairs that it confuses more often. The rule took a person's thought for one pair, and this program
# did forty-five.
#
# ## The third way: learn in layers
#
# The comparison with averages works as long as all zeros look alike. Now ask whether a digit is even or
# odd. Zero, two, four, six and eight have no shape in common. What will their average look like?
#
# Perhaps a program should work in two steps: first look for helpful pieces, an arc here and a stroke
# there, and then decide from the pieces it found. Nobody writes the list of pieces, since they are
# learned together with the decision. Such a step is called a *layer*, and a program that learns in layers
# is a *neural network*. The layers between the pixels and the answer are called hidden. Lesson 1.2 opens
# one.
#
# A fair test needs a learner in between: the same network without hidden layers, trained in the same way.
# If it does as well, the gain came from the training and not from the layers. And does a second hidden
# layer help more? First we need a program that trains such networks. How it does that is the subject of
# the next lesson.


# %%
# Draws nothing: it holds the programs that train a network in layers and ask it.
def start_network(hidden_sizes, rng):
    """[(weight, bias), …] from 64 pixels through hidden layers of these sizes to one score, at random."""
    sizes = [64, *hidden_sizes, 1]
    pairs = zip(sizes[:-1], sizes[1:])
    return [(rng.normal(scale=n_in**-0.5, size=(n_out, n_in)), np.zeros(n_out)) for n_in, n_out in pairs]


def layer_outputs(images, network):
    """The images (n, 64), what each hidden layer makes of them (n, n_hidden), and the scores (n, 1)."""
    outputs = [images]
    for weight, bias in network[:-1]:
        outputs.append(np.tanh(outputs[-1] @ weight.T + bias))  # (n, n_in) @ (n_in, n_out) -> (n, n_out)
    weight, bias = network[-1]
    return [*outputs, outputs[-1] @ weight.T + bias]  # (n, n_in) @ (n_in, 1) -> (n, 1)


def train_network(images, targets, hidden_sizes, n_steps, rng, learning_rate=1.0):
    """A network whose score is above zero for targets (n,) of 1 and below zero for 0; images (n, 64)."""
    network = start_network(hidden_sizes, rng)
    for _ in range(n_steps):
        outputs = layer_outputs(images, network)
        grad_z = (1 / (1 + np.exp(-outputs.pop())) - targets[:, None]) / len(images)  # (n, 1)
        for weight, bias in reversed(network):
            inputs = outputs.pop()
            grad_inputs = grad_z @ weight  # (n, n_out) @ (n_out, n_in) -> (n, n_in)
            weight -= learning_rate * grad_z.T @ inputs  # (n_out, n) @ (n, n_in) -> (n_out, n_in)
            bias -= learning_rate * grad_z.sum(axis=0)
            grad_z = grad_inputs * (1 - inputs**2)  # back through tanh, to the layer below
    return network


def network_score(images, network):
    """Above zero where the network answers 1; (n, 64) -> (n,)."""
    return layer_outputs(images, network)[-1][:, 0]


# %% [markdown]
# We deal out training and test sets four times, so that one lucky deal decides nothing, and ask four
# learners each time. How would you rank them?

# %%
# Draws the average even and odd digit, and the test accuracy of four learners for four deals of the digits.
odd = labels % 2  # (1797,): 1 for the odd digits
n_steps = 600
networks = {"no hidden layer": [], "one hidden layer": [16], "two hidden layers": [16, 16]}
even_odd = {name: [] for name in ("nearest average", *networks)}  # accuracies, one for each deal
for deal in range(4):
    dealt = np.random.default_rng(deal).permutation(len(labels))
    deal_train = dealt[:1000]
    deal_test = dealt[1000:]
    clouds = average_pictures(images[deal_train], odd[deal_train])  # (2, 64): even, odd
    answers = differences(images[deal_test], clouds).argmin(axis=1)
    even_odd["nearest average"].append(np.mean(answers == odd[deal_test]))
    for name, hidden_sizes in networks.items():
        network = train_network(images[deal_train], odd[deal_train], hidden_sizes, n_steps, rng)
        answers = network_score(images[deal_test], network) > 0
        even_odd[name].append(np.mean(answers == odd[deal_test]))

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", width_ratios=[1, 1, 2])
draw_digit(axes[0], clouds[0], "the average even digit")
draw_digit(axes[1], clouds[1], "the average odd digit")
for place, (accuracies, marker) in enumerate(zip(even_odd.values(), "s^oD")):
    axes[2].plot(
        100 * np.array(accuracies), [place] * 4, marker, color="C1" if place > 1 else "C0", alpha=0.6
    )
axes[2].axvline(50, color="0.7", linewidth=0.8, zorder=0)
axes[2].set(yticks=range(4), yticklabels=even_odd, ylim=(3.5, -0.5), xlim=(48, 100))
axes[2].set(
    xlabel="test accuracy (%), where a coin gets 50", title="Even or odd: four learners, four deals each"
)
plt.show()

for name, accuracies in even_odd.items():
    print(f"{name:20s}" + "".join(f"{100 * accuracy:10.1f} %" for accuracy in accuracies))

# %% [markdown]
# Each marker is one deal. The two averages on the left are grey clouds, but they are still worth
# something, about eight answers in ten. The network without hidden layers gets about nine in ten, and
# five times as many steps of training change little in that. So one part of the gain comes from the
# training, and the hidden layer brings the rest, in each of the four deals. The second hidden layer adds
# nothing that we can see here, perhaps because pictures of 64 pixels leave it little to do. In large
# photographs there is more, edges first and then corners, eyes and faces, and networks for them have
# dozens of layers (lesson 10.1 looks into one).
#
# ## Three words, one inside the other
#
# Artificial intelligence is the widest of the three words. It covers any program that does what people
# need their wits for, including the rule with the four pixels. Machine learning is the part that learns
# from examples, and deep learning is the part of it that learns in several layers. Nobody has fixed how
# many layers make a network deep, and our network with two hidden layers is about the smallest that can
# be called so.

# %%
# Draws the three words as rings, each with one of our programs and its accuracy on zeros and ones.
network01 = train_network(images[train01], labels[train01], [16, 16], 400, rng)
marks = {
    "rule": rule_accuracy,
    "averages": np.mean(differences(images[test01], averages).argmin(axis=1) == labels[test01]),
    "network": np.mean((network_score(images[test01], network01) > 0) == labels[test01]),
}
rings = [
    (10, 6, "0.94", "artificial intelligence", f"the rule: {100 * marks['rule']:.1f} %"),
    (7.6, 4.2, "0.85", "machine learning", f"nearest average: {100 * marks['averages']:.1f} %"),
    (5.2, 2.3, "0.75", "deep learning", f"two hidden layers: {100 * marks['network']:.1f} %"),
]

fig, ax = plt.subplots(figsize=(10, 5), layout="constrained")
for width, ring_height, shade, word, program in rings:
    middle = (0, ring_height / 2)
    oval = plt.matplotlib.patches.Ellipse(middle, width, ring_height, facecolor=shade, edgecolor="0.3")
    ax.add_patch(oval)
    ax.text(0, ring_height - 0.5, word, ha="center", va="center", weight="bold")
    ax.text(0, ring_height - 1.0, program, ha="center", va="center", fontsize=9)
ax.set(xlim=(-5.2, 5.2), ylim=(-0.1, 6.1))
ax.set_title("Each word is a part of the next wider one (accuracy on the zeros and ones of the test set)")
ax.axis("off")
plt.show()

# %% [markdown]
# Both learners read more of these test digits correctly than the rule. This job is too light to decide
# between the two learners, because so few mistakes are left to make.
#
# ## Sounding sure is not being right
#
# The network has learned zeros and ones and nothing else. What comes out of it is a single number, its
# *score*: above zero it answers "one", below zero "zero", and the further from zero the score is, the
# surer the network is said to be. So the score can be turned into a percentage (by a curve that lesson
# 1.4 shows): a score of zero becomes 50 %, and a score far from zero becomes nearly 100 % for one of the
# two answers. Will it say of a four that it is not sure? We show it one digit of each other kind, and
# then all of them.


# %%
# Draws digits that the zero-or-one network was never shown, its answers, and how sure it says it is.
def sureness(images):
    """What the zero-or-one network answers, 0 or 1, and how probable it calls its answer; (n,) each."""
    score = network_score(images, network01)  # (n,)
    return (score > 0).astype(np.int64), 1 / (1 + np.exp(-np.abs(score)))


strangers = np.array([test[labels[test] == digit][0] for digit in range(2, 10)])  # (8,)
sure_of_strangers = np.mean(sureness(images[labels > 1])[1] > 0.9)

fig, axes = plt.subplots(1, 8, figsize=(14, 2.6), layout="constrained")
for ax, which, answer, sure in zip(axes, strangers, *sureness(images[strangers])):
    draw_digit(ax, images[which], f'"{("zero", "one")[answer]}",\n{100 * sure:.0f} % sure')
fig.suptitle("Digits that the network was never shown, and what it answers")
plt.show()

print(f"It is over 90 % sure for {100 * sure_of_strangers:.0f} % of the {np.sum(labels > 1)} other digits.")

# %% [markdown]
# The network cannot say that it has never seen such a thing. Its only answers are "zero" and "one", so it
# picks one of them, and for most of these digits it says that it is more than 90 % sure. (With five
# other starts of the network it was about the same.) The percentage compares the two answers with each
# other. It says nothing about whether the question makes sense.
#
# Think of a mushroom app in place of the postcode. It has learned from photographs of common mushrooms,
# and you show it a deadly one that was not among them. If it wrongly says "poisonous", you lose a supper,
# but if it wrongly says "edible", you may lose your life. A learner knows only what its examples show. It
# knows nothing about what is missing in them, and if they are wrong or unfair, it learns that, too. Which
# mistakes matter, and who suffers from them, has to be decided by people.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds. That is a discovery, and nothing is broken.

# %%
# Draws nothing: it checks what the lesson says.
assert 0.9 < 1 - misread.mean() < 0.98, "the rule reads more than nine in ten zeros and ones"
assert len(failures) > 0 and set(labels[failures]) == {1}, "every digit that the rule misreads is a one"
at_04 = np.argmin(np.abs(thresholds - 0.4))
assert wrong_zeros[at_04] == 0, "a threshold of 0.4 loses no zero"
assert wrong_ones[at_04] < misread.sum(), "and it wins back a few ones"
assert fewest > 0, "no threshold reads all zeros and ones"
assert difference[1] < difference[0], "the model reads a one that the rule misread"
assert learner_accuracy[0] < rule_accuracy, "with one example of each digit the rule is better"
assert learner_accuracy[counts.index(5)] > rule_accuracy, "with five examples of each the learner is better"
assert np.ptp(scores[-1]) < np.ptp(scores[0]) / 2, "with more examples there is less luck"
assert np.nanmean(pair_accuracy) > 0.95, "one program learns to tell apart most pairs of digits"
for flat, layered in zip(even_odd["no hidden layer"], even_odd["one hidden layer"]):
    assert flat + 0.02 < layered, "for even or odd a hidden layer helps in every deal"
gain = np.mean(even_odd["two hidden layers"]) - np.mean(even_odd["one hidden layer"])
assert abs(gain) < 0.01, "a second hidden layer adds nothing that we can see here"
assert marks["rule"] < min(marks["averages"], marks["network"]), (
    "both learners beat the rule on zeros and ones"
)
assert sure_of_strangers > 0.5, "for most digits it was never shown the network is over 90 % sure"

# %% [markdown]
# ## Going further
#
# This can be skipped: it tells where these programs come from, and what a chatbot adds to them.
#
# ### From this program to a chatbot
#
# A large language model is a network, too. Our network with two hidden layers learned about a thousand
# numbers, and the largest language models learn up to a thousand million times as many. Such a model is
# trained in two stages. In the first it learns from a large part of the written internet which word is
# likely to come next. This gives it grammar, facts and a good deal of reasoning, but no manners: it
# continues a text, and a question may be continued with more questions. So it is trained again, on good
# answers that people wrote and on grades that people, or other programs, gave to its own answers. Only
# then does it answer. Lesson 12.8 builds a small one of the first kind.
#
# ### Eighty years and two winters
#
# When was all this invented? Guess the year of the first artificial neuron before you look.

# %%
# Draws the history: each event at its year, and two periods in which little money was spent on AI.
events = [
    (1943, "a neuron on paper"),
    (1950, "Turing's test"),
    (1956, 'the name "AI"'),
    (1958, "perceptron: it learns"),
    (1969, "its limits proved"),
    (1980, "expert systems"),
    (1986, "backpropagation"),
    (1989, "a network reads postcodes"),
    (1997, "chess: Deep Blue"),
    (2012, "AlexNet sees\nphotographs"),
    (2016, "Go: AlphaGo"),
    (2017, "the transformer"),
    (2022, "ChatGPT"),
]
winters = [(1974, 1980), (1987, 1993)]
heights = [1, -1, 2, -2, 1, 2, 1, -1, 1, -1, 2, -2, 1]  # so that no two labels meet

fig, ax = plt.subplots(figsize=(14, 3.8), layout="constrained")
for start, stop in winters:
    ax.axvspan(start, stop, color="C0", alpha=0.2)
    ax.text((start + stop) / 2, -3.5, "winter", ha="center", va="center")
for (year, words), place in zip(events, heights):
    ax.plot([year, year], [0, place], "o-", color="0.4", markevery=[0], linewidth=0.8)
    ax.text(year, place, f"{year}\n{words}", ha="center", va="bottom" if place > 0 else "top", fontsize=9)
ax.axhline(0, color="0.4")
ax.set(xlim=(1938, 2028), ylim=(-4, 3.4), title="Events in the history of AI, and two AI winters")
ax.axis("off")
plt.show()

# %% [markdown]
# The first neuron is older than the name of the field. Twice the promises ran far ahead of the programs,
# the money went elsewhere, and people spoke of an _AI winter_ (shaded): first when simple networks and
# machine translation disappointed, and again when expert systems, which were rules upon rules, became too
# expensive to maintain. What changed around 2012 was less the idea than its means: millions of labelled
# photographs from the internet, and graphics cards that do the arithmetic quickly.
#
# ## What to remember
#
# - A rule holds what a person could explain. Examples also hold what nobody can explain.
# - A learner is trained on the training set and judged on the test set, which it has not seen.
# - Deep learning is machine learning in several layers: helpful pieces first, then the decision.
# - A classifier answers with one of its classes, whatever you show it, and it may sound sure.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In the cell that draws every zero and one by its ink, change `threshold = 0.5` to `threshold = 0.3`.
#    Which kind of mistake will become rarer, and which will appear? Look at the second and third figures.
# 2. In the cell that draws the accuracy for more examples, change `n_tries = 100` to `n_tries = 3`. What
#    will happen to the band, and could you still say from how many examples on the learner is better?
# 3. In the cell that draws the average even and odd digit, ask another question: replace
#    `odd = labels % 2` by `odd = labels // 5`, which is 1 for the digits from five to nine. Will the
#    learners rank in the same order? Compare the figure with the one for even and odd.
#
# ## Sources
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
#   _Proceedings of the IEEE_ 86, 1998: a network that reads several million cheques a day.
# - A. M. Turing, "Computing machinery and intelligence", _Mind_ 59, 1950.
# - W. S. McCulloch, W. Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
# - F. Rosenblatt, "The perceptron", _Psychological Review_ 65, 1958; M. Minsky, S. Papert, _Perceptrons_,
#   1969; J. Lighthill, "Artificial intelligence: a general survey", 1973.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   _Nature_ 323, 1986; Y. LeCun and others, "Backpropagation applied to handwritten zip code
#   recognition", _Neural Computation_ 1, 1989.
# - L. Ouyang and others, "Training language models to follow instructions with human feedback", 2022: the
#   second training of a chatbot.
# - S. Russell, P. Norvig, _Artificial Intelligence: A Modern Approach_, 4th edition, 2020, section 1.3:
#   the history and its winters.
# - E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository,
#   1998: the digits.
