# %% [markdown]
# # 1.1 What is AI: rules, examples, and layers
#
# You can read almost anybody's handwriting. Now imagine a friend on the telephone who has never seen a
# digit, and explain to them how you tell a zero from a one. It is harder than it sounds: you know *that*
# it is a zero, and hardly *how* you know. Most of this course lives in that gap between knowing and
# explaining.
#
# **You will see** a rule written by hand and the handwriting that defeats it, a program that learns the
# same job from examples, and where the words *AI*, *machine learning* and *deep learning* belong. **You
# need** nothing, not even programming: words and pictures carry this chapter. The code between them is
# only the machine that draws each picture from real data, and you may leave it folded.

# %% [markdown]
# ## What the computer is given
#
# You see a zero. The computer is given sixty-four numbers, one for each little square: nought for white
# paper, sixteen for full ink. These squares are called *pixels*. Nothing in the numbers says "round", or
# "hole", or "zero". Somebody wrote this digit by hand and a scanner measured it.

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
order = rng.permutation(len(labels))
practice, new = order[:1000], order[1000:]  # examples to learn from, and digits kept back for the exam

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.imshow(images[0].reshape(8, 8), cmap="gray_r")
left.set_title("What you see: a zero")
right.imshow(np.ones((8, 8)), cmap="gray", vmin=0, vmax=1)
for place, ink in enumerate(digits[0, :64].astype(int)):
    right.text(place % 8, place // 8, ink, ha="center", va="center", color="0.7" if ink == 0 else "black")
right.set_title("What the computer gets: 64 numbers")
for ax in (left, right):
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## The first way: write down a rule
#
# A zero has a hole in its middle, and a one has its stroke there. So look at the four squares in the
# centre. *If they are more than half ink, answer "one"; if not, answer "zero".* That is a program: a
# person noticed something, and wrote it down as a rule.
#
# The picture tests the rule on all the zeros and ones we have. Each mark is one handwritten digit, placed
# by the ink in its centre. The rule draws a line at one half. Whoever stands on the wrong side of it is
# misread.


# %%
# Draws every zero and one by the ink in its middle, and the line that the rule draws between them.
def middle_ink(images):
    """How dark the four centre squares are, 0 to 1; images: (n, 64), returns (n,)."""
    return images.reshape(-1, 8, 8)[:, 3:5, 3:5].mean(axis=(1, 2))  # (n, 8, 8) -> (n,)


zeros_and_ones = np.flatnonzero(labels < 2)  # (360,): where they are among all digits
truth = labels[zeros_and_ones]
ink = middle_ink(images[zeros_and_ones])
wrong = (ink > 0.5) != truth
rule_accuracy = 1 - wrong.mean()

fig, ax = plt.subplots(figsize=(10, 3.2), layout="constrained")
height = truth + rng.uniform(-0.25, 0.25, size=len(truth))  # spread out, so that marks do not hide each other
for digit, marker in ((0, "o"), (1, "^")):
    right_ones = (truth == digit) & ~wrong
    ax.scatter(ink[right_ones], height[right_ones], marker=marker, facecolor="none", edgecolor="C0", s=25)
ax.scatter(ink[wrong], height[wrong], marker="x", color="C3", label="misread")
ax.axvline(0.5, color="black", label="the rule's line")
ax.set(xlabel="ink in the four centre squares (0 is paper, 1 is full ink)", yticks=[0, 1])
ax.set(yticklabels=["zeros", "ones"], title="One rule sorts most zeros from ones, but not all")
ax.legend(loc="center right")
plt.show()

print(f"The rule reads {np.sum(~wrong)} of {len(truth)} correctly: about {100 * rule_accuracy:.0f} in 100.")
assert 0.9 < rule_accuracy < 0.98

# %% [markdown]
# ## Where the rule breaks
#
# Not bad for one sentence. Now look at some misread digits, with the four squares outlined. Every misread
# digit is a one, and a good one, but its stroke stands a little to the right, and the flag on top hardly
# reaches the centre.
#
# You could move the line to the left and win some of them back. But then it crosses zeros whose hole is
# narrow: wherever you put it, somebody is misread. You could add a second rule for ones on the right, and
# a third for narrow zeros, and every rule would meet its own exceptions. For decades, much of artificial
# intelligence was this patching.

# %%
# Draws the digits that the rule misreads, with the four squares it looked at, and the best any line could do.
failures = zeros_and_ones[wrong]
assert set(labels[failures]) == {1}

fig, axes = plt.subplots(1, 8, figsize=(14, 2.4), layout="constrained")
for ax, which in zip(axes, failures):
    ax.imshow(images[which].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.add_patch(plt.Rectangle((2.5, 2.5), 2, 2, fill=False, edgecolor="C1", linewidth=2))
    ax.set(xticks=[], yticks=[], title='a one, read\nas "zero"')
fig.suptitle("The handwriting that defeats the rule: ones with little ink in the orange square")
plt.show()

lines = np.linspace(0, 1, 101)
best_line = max(np.mean((ink > line) == truth) for line in lines)
print(
    f"Of the {len(truth)} digits, even the best of {len(lines)} lines misreads "
    f"{round((1 - best_line) * len(truth))}."
)
assert rule_accuracy <= best_line < 0.99

# %% [markdown]
# ## The second way: show examples
#
# Now we write no rule about zeros. We collect zeros that people wrote, lay them on top of each other, and
# look at the pile: the *average zero*. The same with ones. Then, for a new digit, we ask which of the two
# averages it differs from less.
#
# That is a program that *learns*. What it knows, two blurred pictures, came from examples. Nobody told it
# about holes: look for the hole in the average zero. It found it, because it is there in the examples.


# %%
# Draws the average zero and the average one, the new digit, and how far it is from either.
def average_pictures(images, labels):
    """One mean image for each label that occurs, in the labels' order; (n, 64) -> (n_labels, 64)."""
    return np.stack([images[labels == label].mean(axis=0) for label in np.unique(labels)])


def differences(images, averages):
    """How much each image differs from each average: squared, summed over squares; (n, n_averages)."""
    return ((images[:, None] - averages) ** 2).sum(axis=-1)  # (n, 1, 64) - (k, 64) -> (n, k, 64) -> (n, k)


zo_practice, zo_new = practice[labels[practice] < 2], new[labels[new] < 2]
averages = average_pictures(images[zo_practice], labels[zo_practice])  # (2, 64)
newcomer = next(i for i in failures if i in zo_new and labels[i] == 1)  # a one that the rule misreads
difference = differences(images[[newcomer]], averages)[0]  # (2,)

fig, axes = plt.subplots(1, 5, figsize=(14, 3.6), layout="constrained")
panels = {
    "the average zero": averages[0],
    "the average one": averages[1],
    "a new digit": images[newcomer],
    f"new against zero:\ndifference {difference[0]:.0f}": images[newcomer] - averages[0],
    f"new against one:\ndifference {difference[1]:.0f}": images[newcomer] - averages[1],
}
for ax, (title, picture) in zip(axes, panels.items()):
    signed = "against" in title
    ax.imshow(picture.reshape(8, 8), cmap="RdBu" if signed else "gray_r", vmin=-1 if signed else 0, vmax=1)
    ax.set(xticks=[], yticks=[], title=title)
fig.suptitle("A one that the rule misread is closer to the average one (blue: more ink, red: less)")
plt.show()
assert difference[1] < difference[0] and middle_ink(images[[newcomer]])[0] <= 0.5

# %% [markdown]
# ## How many examples does it take?
#
# A learner with no examples knows nothing, and a learner with bad luck is shown an odd zero and an odd
# one. So we try it many times: pick a few examples at random, learn from them, and take an exam on digits
# that were kept back. An exam on the practice digits would prove only a good memory.
#
# With a single example of each, the learner is worse than the hand-written rule. With a handful it passes
# the rule, and nobody had to think of anything. The band shows the luck of the draw: it narrows as
# examples are added.

# %%
# Draws how well the learner reads new digits as it is shown more examples, beside the rule.
counts, n_tries = [1, 2, 3, 5, 10, 20, 50], 100
scores = []  # one row of exam results for each number of examples
for n_examples in counts:
    tries = []
    for _ in range(n_tries):
        shuffled = rng.permutation(zo_practice)
        chosen = np.concatenate([shuffled[labels[shuffled] == digit][:n_examples] for digit in (0, 1)])
        learned = average_pictures(images[chosen], labels[chosen])
        tries.append(np.mean(differences(images[zo_new], learned).argmin(axis=1) == labels[zo_new]))
    scores.append(tries)
scores = np.array(scores)  # (n_counts, n_tries)
learner_accuracy = scores.mean(axis=1)  # (n_counts,)
rule_on_new = np.mean((middle_ink(images[zo_new]) > 0.5) == labels[zo_new])

assert learner_accuracy[0] < rule_on_new < learner_accuracy[-1]
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogx(counts, 100 * learner_accuracy, "o-", color="C1", label="the learner, on average")
low, high = np.percentile(100 * scores, (10, 90), axis=1)  # each (n_counts,)
ax.fill_between(counts, low, high, color="C1", alpha=0.2, label="eight tries in ten are in here")
ax.axhline(100 * rule_on_new, color="C0", linestyle="--", label="the hand-written rule")
ax.set(xlabel="examples of each digit it was shown", ylabel="new digits read correctly, in 100")
ax.set(xticks=counts, xticklabels=counts, title="A handful of examples beats the rule")
ax.minorticks_off()
ax.legend(loc="lower right")
plt.show()

first_above = counts[int(np.argmax(learner_accuracy > rule_on_new))]
print(
    f"On {len(zo_new)} new digits the rule reads {100 * rule_on_new:.1f} in 100; the learner passes it from "
    f"{first_above} examples of each, and with {counts[-1]} reads {100 * learner_accuracy[-1]:.1f}."
)
assert first_above <= 5

# %% [markdown]
# ## The same program, another question
#
# Here is the deeper difference. To tell threes from eights, the rule has to be thrown away and a person
# has to think again. The learner is shown other examples. Not a letter of its program changes.
#
# The picture takes all forty-five pairs of digits and gives the learner each of them in turn. Dark squares
# are pairs that it tells apart well. A few pairs are harder: their averages look alike.

# %%
# Draws how well the same learner tells apart every pair of digits.
pair_accuracy = np.full((10, 10), np.nan)
for a in range(10):
    for b in range(a):
        seen, exam = (part[np.isin(labels[part], (a, b))] for part in (practice, new))
        learned = average_pictures(images[seen], labels[seen])  # (2, 64): the lower digit first
        answers = np.where(differences(images[exam], learned).argmin(axis=1) == 0, b, a)
        pair_accuracy[a, b] = np.mean(answers == labels[exam])
hardest = np.unravel_index(np.nanargmin(pair_accuracy), (10, 10))

fig, ax = plt.subplots(figsize=(6, 5), layout="constrained")
ax.imshow(100 * pair_accuracy, cmap="viridis_r", vmin=85, vmax=100)
for (a, b), value in np.ndenumerate(pair_accuracy):
    if b < a:
        ax.text(b, a, f"{100 * value:.0f}", ha="center", va="center", color="white", fontsize=9)
ax.set(xticks=range(10), yticks=range(10), xlabel="this digit …", ylabel="… against this digit")
ax.set_title("Forty-five jobs, one program (right answers in 100)")
ax.spines[:].set_visible(False)
plt.show()

print(
    f"Right on average {100 * np.nanmean(pair_accuracy):.0f} in 100, worst: {hardest[1]} against {hardest[0]}"
)
assert np.nanmean(pair_accuracy) > 0.95 and np.nanmin(pair_accuracy) > 0.75

# %% [markdown]
# ## Why layers?
#
# Overlaying examples works while all zeros look alike. Now ask: is the digit even or odd? Zero, two, four,
# six and eight have no shape in common. Lay them on top of each other, and what is left is a grey cloud.

# %%
# Draws the average of all even digits and the average of all odd ones.
odd = labels % 2
clouds = average_pictures(images[practice], odd[practice])  # (2, 64): even, odd

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, cloud, name in zip(axes, clouds, ("even", "odd")):
    ax.imshow(cloud.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=f"the average {name} digit")
fig.suptitle("Five shapes in one pile leave no shape")
plt.show()

# %% [markdown]
# So let the program work in two steps. First it looks for helpful pieces: an arc here, a gap there. Then
# it decides from the pieces that it found, as you might: "closed loop above, closed loop below, that is an
# eight, so it is even." Nobody writes the list of pieces. They are learned together with the decision,
# from examples, by a method that this course takes apart. Each step is called a *layer*, and a program
# that learns in layers is a *neural network*.


# %%
# Draws the exam marks of three learners asked for even or odd; one of them works in layers.
def train_vote(images, targets, n_steps):
    """One weight a square, no layer in between, learned from targets (n,) of 0 or 1; returns (65,)."""
    inputs = np.column_stack([images, np.ones(len(images))])  # (n, 65): the last square is always ink
    weight = np.zeros(65)
    for _ in range(n_steps):
        error = (1 / (1 + np.exp(-inputs @ weight)) - targets) / len(images)  # (n, 65) @ (65,) -> (n,)
        weight -= error @ inputs  # (n,) @ (n, 65) -> (65,)
    return weight


def train_network(images, targets, n_steps, rng):
    """Sixteen learned pieces in between, then a vote, from targets (n,) of 0 or 1; returns the weights."""
    inputs = np.column_stack([images, np.ones(len(images))])  # (n, 65): the last square is always ink
    weights = [rng.normal(scale=0.3, size=(16, 65)), rng.normal(scale=0.3, size=17)]
    for _ in range(n_steps):
        hidden = np.column_stack([np.tanh(inputs @ weights[0].T), np.ones(len(images))])  # (n, 17)
        error = (1 / (1 + np.exp(-hidden @ weights[1])) - targets) / len(images)  # (n, 17) @ (17,) -> (n,)
        blame = np.outer(error, weights[1][:-1]) * (1 - hidden[:, :-1] ** 2)  # (n, 16)
        weights[1] -= error @ hidden  # (n,) @ (n, 17) -> (17,)
        weights[0] -= blame.T @ inputs  # (16, n) @ (n, 65) -> (16, 65)
    return weights


def network_score(images, weights):
    """Above zero where the network of `train_network` answers 1; (n, 64) -> (n,)."""
    inputs = np.column_stack([images, np.ones(len(images))])  # (n, 65)
    hidden = np.column_stack([np.tanh(inputs @ weights[0].T), np.ones(len(images))])  # (n, 17)
    return hidden @ weights[1]  # (n, 17) @ (17,) -> (n,)


vote = train_vote(images[practice], odd[practice], n_steps=400)
weights = train_network(images[practice], odd[practice], n_steps=400, rng=rng)
says_odd = {
    "compares two averages": differences(images[new], clouds).argmin(axis=1) == 1,
    "one layer of votes": images[new] @ vote[:-1] + vote[-1] > 0,  # (n, 64) @ (64,) -> (n,)
    "two layers": network_score(images[new], weights) > 0,
}
even_odd = {name: np.mean(answers == odd[new]) for name, answers in says_odd.items()}
first, second, third = even_odd.values()
assert first + 0.04 < second < third - 0.02

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
bars = ax.barh(list(even_odd), [100 * value for value in even_odd.values()], color=["C0", "C0", "C1"])
ax.bar_label(bars, fmt="%.0f", padding=3)
ax.axvline(50, color="0.7", linewidth=0.8)
ax.set(xlim=(0, 108), xlabel="new digits answered correctly, in 100 (guessing: 50)")
ax.set_title("Even or odd? A second layer finds its way through the cloud")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# The middle bar is there to be fair. It learns by the same method as the network and looks at every
# square, but in one step, without pieces in between. So the better method explains part of the gain, and
# the layer explains the rest.
#
# Networks that read photographs or language stack many layers: edges, then corners, then eyes, then faces.
# Nobody tells them to. *Deep learning* is the name for learning with many layers.
#
# ## Three words, one inside the other
#
# *Artificial intelligence* is the widest word: any program that does something for which people need their
# wits, the hand-written rule included. *Machine learning* is the part of it that learns from examples.
# *Deep learning* is the part of machine learning that learns in layers. You have met one of each, and the
# map shows where they live, with their marks for zeros against ones.

# %%
# Draws the map of the three words, and on it three programs with their marks for zero against one.
weights_zo = train_network(images[zo_practice], labels[zo_practice], n_steps=400, rng=rng)
marks = {
    "rule": rule_on_new,
    "averages": np.mean(differences(images[zo_new], averages).argmin(axis=1) == labels[zo_new]),
    "network": np.mean((network_score(images[zo_new], weights_zo) > 0) == labels[zo_new]),
}
assert marks["rule"] < min(marks["averages"], marks["network"])
rings = [
    (
        10,
        6,
        "0.94",
        "artificial intelligence",
        f"the rule about the centre\n{100 * marks['rule']:.1f} in 100",
    ),
    (7.4, 4.2, "0.85", "machine learning", f"comparing with averages\n{100 * marks['averages']:.1f} in 100"),
    (4.6, 2.2, "0.75", "deep learning", f"the network in layers\n{100 * marks['network']:.1f} in 100"),
]

fig, ax = plt.subplots(figsize=(10, 5), layout="constrained")
for width, height, shade, word, program in rings:
    center = (0, height / 2)
    oval = plt.matplotlib.patches.Ellipse(center, width, height, facecolor=shade, edgecolor="0.3")
    ax.add_patch(oval)
    ax.text(0, height - 0.45, word, ha="center", va="center", weight="bold")
    ax.text(0, height - 1.05, program, ha="center", va="center", fontsize=9)
ax.set(xlim=(-5.2, 5.2), ylim=(-0.1, 6.1), title="Every ring is a special case of the ring around it")
ax.axis("off")
plt.show()

# %% [markdown]
# ## Eighty years, two winters
#
# None of this is new. The first artificial neuron is older than the word *artificial intelligence*. Twice
# the promises ran far ahead of the programs, the money left, and people spoke of an *AI winter*. The first
# came when simple networks turned out to be unable to do simple things and machine translation failed; the
# second when hand-written expert systems, rules upon rules, became too expensive to maintain.
#
# What changed around 2012 was less the idea than its food: millions of examples from the internet, and
# graphics cards that do the arithmetic quickly.

# %%
# Draws the history: each event at its year, the two winters shaded.
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
    ax.text((start + stop) / 2, -3.5, "winter", ha="center", va="center", style="italic")
for (year, words), height in zip(events, heights):
    ax.plot([year, year], [0, height], "o-", color="0.4", markevery=[0], linewidth=0.8)
    ax.text(year, height, f"{year}\n{words}", ha="center", va="bottom" if height > 0 else "top", fontsize=9)
ax.axhline(0, color="0.4")
ax.set(
    xlim=(1938, 2028),
    ylim=(-4, 3.4),
    title="Old ideas, two winters, and a spring that came with data and fast machines",
)
ax.axis("off")
plt.show()

# %% [markdown]
# ## What these programs are, and what they are not
#
# Our little network has seen zeros and ones and nothing else. What does it say to a four? It cannot say "I
# have never seen this". Its only words are *zero* and *one*, so it picks one, and its arithmetic calls
# that nearly certain.

# %%
# Draws digits that the zero-or-one network has never met, what it answers, and how sure it says it is.
strangers = np.array([new[labels[new] == digit][0] for digit in range(2, 10)])


def sureness(images):
    """What the zero-or-one network says, 0 or 1, and how likely it calls its own answer; both (n,)."""
    score = network_score(images, weights_zo)  # (n,)
    return (score > 0).astype(np.int64), 1 / (1 + np.exp(-np.abs(score)))


fig, axes = plt.subplots(1, 8, figsize=(14, 2.6), layout="constrained")
for ax, which, answer, sure in zip(axes, strangers, *sureness(images[strangers])):
    ax.imshow(images[which].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=f'"{("zero", "one")[answer]}",\n{100 * sure:.0f} % sure')
fig.suptitle("It has never seen such digits, and answers all the same")
plt.show()

sure_of_strangers = np.mean(sureness(images[labels > 1])[1] > 0.9)
print(
    f"Of all {np.sum(labels > 1)} digits that are neither zero nor one, it is more than 90 % sure "
    f"of its answer for {100 * sure_of_strangers:.0f} in 100."
)
assert sure_of_strangers > 0.4

# %% [markdown]
# Today's systems are this program grown a billion times larger. A chatbot is a network in many layers that
# has learned, from a large part of the written internet, which word is likely to come next (you will build
# a small one in lesson 12.8). That is enough to translate, to explain, to write programs. It is
# astonishing, and it is still a learner of examples:
#
# - **It knows what its examples show.** What they lack it does not know, and what is wrong or unfair in
#   them it learns too.
# - **Sounding sure is not being right.** As with the four above, there is always an answer.
# - **It wants nothing.** It was made to do well in an exam that people chose. Whether that exam asks for
#   the right thing is for people to judge.
#
# ## What to remember
#
# - A rule is what somebody could explain. Examples also carry what nobody can explain.
# - A learner is judged on examples that it has not seen.
# - Deep learning is machine learning in layers: pieces first, then the decision.
# - The program answers the question it was trained on, whatever you show it.
#
# ## Try it
#
# Predict first, then look again or change one number and run that one cell.
#
# 1. Find a zero in the second picture that nearly crossed the line. How would you have to write a zero to
#    fool the rule, and would it fool you?
# 2. In the picture with the line, change both `0.5` to `0.3`. Which kind of mistake goes, and which comes?
#    (If a cell stops with `AssertionError`, a sentence of the lesson is no longer true after your change.
#    That is a discovery, not damage.)
# 3. In the map of forty-five jobs, which pair do you expect to be hardest for people? Is it the same one?
#
# ## Sources
#
# - A. M. Turing, "Computing machinery and intelligence", *Mind* 59, 1950.
# - F. Rosenblatt, "The perceptron", *Psychological Review* 65, 1958; M. Minsky, S. Papert, *Perceptrons*,
#   1969; J. Lighthill, "Artificial intelligence: a general survey", 1973.
# - W. S. McCulloch, W. Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   *Nature* 323, 1986; Y. LeCun and others, "Backpropagation applied to handwritten zip code recognition",
#   *Neural Computation* 1, 1989.
# - S. Russell, P. Norvig, *Artificial Intelligence: A Modern Approach*, 4th edition, 2020, section 1.3:
#   the history and its winters.
# - E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository,
#   1998: the digits.
