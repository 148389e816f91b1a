# %% [markdown]
# # 3.2 Measuring loss: how wrong, in one number with a slope
#
# You walk down a mountain in fog. A smooth slope underfoot tells you where to step. A staircase of wide
# terraces tells you nothing, until you happen to stand on an edge. Both may lead to the same valley. How
# we count a model's mistakes decides which of the two mountains it has to walk on.
#
# **You will build** three measures of wrongness, a yardstick for them, and a map of the mountain. **You
# need** the data set's preparation (3.1), slopes by nudging (2.3) and gradient descent (2.5).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# A model of the weather gave what then happened the probabilities $\frac12$, $\frac14$ and $\frac18$ on
# three days. How surprised should it be? An event of $\frac18$ surprises like three heads in a row,
# three times as much as one. So measure *surprise* (2.8) as $-\ln p$: nothing for what was certain, and
# $\ln 2$ more for every halving. The unit is the *nat*, as the logarithm is natural.

# %%
probabilities = np.array([1 / 2, 1 / 4, 1 / 8])
surprise = -np.log(probabilities)  # (3,)
print(
    f"surprises {np.round(surprise, 3)}, mean {surprise.mean():.3f} = {surprise.mean() / np.log(2):.0f} ln 2"
)
np.testing.assert_allclose(surprise, np.log(2) * np.array([1, 2, 3]))

# %% [markdown]
# Probabilities of independent events multiply, surprises add: the sum above is the surprise at all three
# days together. The mean surprise is the *cross-entropy*. Undo the logarithm and it says what one
# probability, given every day, would have been as bad.

# %%
print(f"together {np.prod(probabilities):.5f}   typical {np.exp(-surprise.mean()):.3f}")
np.testing.assert_allclose(surprise.sum(), -np.log(np.prod(probabilities)))
np.testing.assert_allclose(np.exp(-surprise.mean()), 1 / 4)

# %% [markdown]
# ## A model with two parameters
#
# Adélie or chinstrap, from the length of the bill alone? The two overlap, so no model is perfect. We
# standardise all birds together: nothing is graded in this lesson, so no pile is held out.

# %%
COLUMNS = ("bill_length_mm",)
SPECIES = ("Adelie", "Chinstrap")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
x = ((measurements - measurements.mean(axis=0)) / measurements.std(axis=0))[:, 0]  # (n, 1) -> (n,)
y = labels
print(f"{len(y)} birds, of which {y.sum()} chinstraps")

# %% [markdown]
# The model turns a bill $x$ into a *score* $s = wx + b$, with a *weight* $w$ and a *bias* $b$: positive
# means chinstrap. The *sigmoid* squashes a score into a probability of being one,
#
# $$\sigma(s) = \frac{1}{1 + e^{-s}} = \frac{e^{s}}{1 + e^{s}} .$$
#
# The two forms are equal on paper. In a computer $e^{1000}$ overflows, so each sign of $s$ takes the form
# whose exponent is negative.


# %%
def sigmoid(score):
    """1 / (1 + exp(-score)) for an array of scores of any size and shape, without overflow."""
    small = np.exp(-np.abs(score))  # never above one
    return np.where(np.asarray(score) >= 0, 1, small) / (1 + small)


scores = np.array([-1e4, -2.0, 0.0, 2.0, 1e4])
print(sigmoid(scores))
np.testing.assert_allclose(sigmoid(scores), [0, 1 / (1 + np.e**2), 0.5, np.e**2 / (1 + np.e**2), 1])

# %% [markdown]
# ## Counting mistakes
#
# The measure we care about in the end: the share of birds on the wrong side. Nudge $w$ and $b$ a little,
# as in lesson 2.3, at many random places. How often does the count notice?


# %%
def mistakes(scores, labels):
    """Share of scores on the wrong side of zero: labels 1 need a positive one. Both have shape (n,)."""
    return np.mean((scores > 0) != labels)


places, nudge = rng.uniform((-4, -8), (10, 4), size=(5000, 2)), 1e-6  # (5000, 2): pairs w, b
w_noticed = [mistakes((w + nudge) * x + b, y) != mistakes((w - nudge) * x + b, y) for w, b in places]
b_noticed = [mistakes(w * x + b + nudge, y) != mistakes(w * x + b - nudge, y) for w, b in places]
print(
    f"of {len(places)} places, the count noticed a nudge of w at {sum(w_noticed)}, of b at {sum(b_noticed)}"
)
assert sum(w_noticed) == sum(b_noticed) == 0

# %% [markdown]
# Nowhere. The count changes only when some bird crosses from one side to the other. Its slope is zero
# almost everywhere, and gradient descent, which steps along the slope, would stand still. This is why
# *accuracy*, the share on the right side, is reported and something else is descended. Slide $b$ and
# look at the stairs.

# %%
offsets, slope = np.linspace(-6, 2, 1201), 5.0
stairs = np.array([mistakes(slope * x + b, y) for b in offsets])  # (1201,)
steps = np.flatnonzero(np.diff(stairs))
print(f"{len(steps)} of {len(offsets) - 1} small moves of b change the count")
assert len(steps) < 0.25 * len(offsets)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(offsets, stairs, color="C1")
ax.set(
    xlabel="bias b", ylabel="share of mistakes", title="Terraces and cliffs: the count has no slope", ylim=0
)
plt.show()

# %% [markdown]
# ## Squared error
#
# A measure with a slope must listen to the probability, not to the side. With $p = \sigma(s)$ and the label
# $y$, zero or one, the first idea is the squared distance $(p - y)^2$. Its slope along the score follows
# from the chain rule (2.3). The sigmoid's own slope is $e^{-s} / (1 + e^{-s})^2$, which is $p\,(1 - p)$:
#
# $$\frac{d}{ds} (p - y)^2 = 2\,(p - y)\; p\,(1 - p) .$$


# %%
def squared_error(scores, labels):
    """(sigmoid(score) - label)² for n scores and labels, 0 or 1. Raises ValueError as `check` does."""
    check(scores, labels)
    return (sigmoid(scores) - labels) ** 2


def check(scores, labels):
    """Raises ValueError where the shapes of scores and labels differ, or a label is not 0 or 1."""
    if np.shape(scores) != np.shape(labels):
        raise ValueError(f"scores have shape {np.shape(scores)} but labels {np.shape(labels)}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {np.unique(labels).tolist()}")


# %% [markdown]
# ## Cross-entropy
#
# The second idea is the surprise at the true species: $-\ln p$ for a chinstrap, $-\ln(1 - p)$ for an
# Adélie. In the score, as $\ln p = s - \ln(1 + e^s)$ and $\ln(1 - p) = -\ln(1 + e^s)$, it becomes
#
# $$\ell = -y \ln p - (1 - y) \ln (1 - p) = \ln(1 + e^{s}) - y s .$$
#
# The second form never takes the logarithm of a probability that was rounded to zero. `np.logaddexp(0, s)`
# is $\ln(e^0 + e^s)$ without the overflow.


# %%
def logistic_loss(scores, labels):
    """Surprise (nats) at each of n labels, 0 or 1, for n scores; finite at any finite score.

    Raises ValueError as `check` does.
    """
    check(scores, labels)
    return np.logaddexp(0, scores) - labels * scores


scores, targets = rng.normal(scale=3, size=7), np.array([0, 1, 1, 0, 1, 0, 0])
p = sigmoid(scores)
np.testing.assert_allclose(
    logistic_loss(scores, targets), -np.log(np.where(targets == 1, p, 1 - p)), rtol=1e-10
)
hopeless = logistic_loss(np.array([-1e4, 1e4]), np.array([1, 0]))
print(f"hopelessly wrong: {hopeless}")
np.testing.assert_array_equal(hopeless, [1e4, 1e4])

# %% [markdown]
# Its slope is the neatest formula of this chapter: the probability minus the truth,
#
# $$\frac{d\ell}{ds} = \frac{e^s}{1 + e^s} - y = p - y .$$
#
# Compare the two slopes for a chinstrap, and check both by nudging.

# %%
scores = np.linspace(-8, 8, 161)  # (161,)
ones, nudge = np.ones(161, dtype=int), 1e-5
p = sigmoid(scores)
slopes = {"squared error": 2 * (p - 1) * p * (1 - p), "cross-entropy": p - 1}
for name, loss in (("squared error", squared_error), ("cross-entropy", logistic_loss)):
    nudged = (loss(scores + nudge, ones) - loss(scores - nudge, ones)) / (2 * nudge)
    np.testing.assert_allclose(slopes[name], nudged, atol=1e-9)
    print(f"{name:20s}slope at score -8: {slopes[name][0]:.5f}")
assert abs(slopes["squared error"][0]) < 1e-3 and slopes["cross-entropy"][0] < -0.999

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(scores, (scores <= 0) * 1.0, ":", color="0.4", label="mistake")
left.plot(scores, squared_error(scores, ones), "--", color="C0", label="squared error")
left.plot(scores, logistic_loss(scores, ones), color="C1", label="cross-entropy (nats)")
left.set(
    xlabel="score of a chinstrap",
    ylabel="loss",
    ylim=(-0.1, 4),
    title="Sure and wrong: only one loss keeps growing",
)
left.legend()
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.plot(scores, slopes["squared error"], "--", color="C0", label="squared error")
right.plot(scores, slopes["cross-entropy"], color="C1", label="cross-entropy")
right.set(xlabel="score of a chinstrap", ylabel="slope of the loss")
right.set_title("Only cross-entropy pulls hardest where most wrong")
right.legend()
plt.show()

# %% [markdown]
# A model that is sure and wrong feels next to nothing from squared error, because the factor $p(1 - p)$
# takes the pull away. Cross-entropy cancels that factor.
#
# ## The guesser's loss
#
# Is a loss of 0.5 good? The first yardstick is a guesser who has seen no bird and gives each of $K$
# classes the probability $1/K$. Its surprise is $\ln K$, whatever the labels are.


# %%
def cross_entropy(probabilities, labels):
    """Mean surprise (nats) at n labels in 0 … K-1 under rows of probabilities (n, K); infinite at a zero.

    Raises ValueError where the rows do not match the labels, hold a negative number or do not sum to one,
    or where a label is out of range.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"probabilities have shape {probabilities.shape} but labels {labels.shape}")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"labels must lie in 0 … {probabilities.shape[1] - 1}")
    if np.any(probabilities < 0) or not np.allclose(probabilities.sum(axis=1), 1):
        raise ValueError("each row of probabilities must hold no negative number and sum to 1")
    with np.errstate(divide="ignore"):  # ln 0: an impossible thing happened
        return -np.mean(np.log(probabilities[np.arange(len(labels)), labels]))


print(f"{'classes':20s}{'guesser':>12s}{'ln K':>12s}")
for n_classes in (2, 3, 10, 1000):
    random_labels = rng.integers(n_classes, size=50)
    guess = np.full((50, n_classes), 1 / n_classes)
    loss = cross_entropy(guess, random_labels)
    print(f"{n_classes:<20d}{loss:12.4f}{np.log(n_classes):12.4f}")
    np.testing.assert_allclose(loss, np.log(n_classes), rtol=1e-10)

# %% [markdown]
# An untrained model should start near $\ln K$, and a trained one that does not beat it has learned
# nothing. A smarter guesser knows how common each class is. Which constant probability of a chinstrap is
# best here? Try them all.

# %%
shares = np.bincount(y) / len(y)  # (2,)
constants = np.linspace(0.01, 0.99, 99)
constant_losses = [cross_entropy(np.tile([1 - c, c], (len(y), 1)), y) for c in constants]
best = constants[np.argmin(constant_losses)]
entropy = -np.sum(shares * np.log(shares))
print(f"best constant {best:.2f}, share of chinstraps {shares[1]:.3f}")
print(f"its loss {min(constant_losses):.4f}, blind guesser {np.log(2):.4f}")
assert abs(best - shares[1]) <= 0.01 and entropy <= min(constant_losses) < entropy + 1e-4
assert entropy < np.log(2)

# %% [markdown]
# The best constant is the share itself, and its loss is called the *entropy* of the shares: the second
# yardstick. Whatever a model gains below it, it gains by looking at the bird.
#
# ## The map of the mountain
#
# Two parameters make a map: for every $w$ and $b$ a loss, its height. We compute the height on a grid, and
# the count of mistakes beside it.


# %%
def mean_loss(w, b, loss=logistic_loss):
    """Mean over all birds of the loss of the scores w·x + b."""
    return np.mean(loss(w * x + b, y))


ws, bs = np.linspace(-5, 11, 161), np.linspace(-8, 4, 121)
surface = np.array([[mean_loss(w, b) for w in ws] for b in bs])  # (121, 161): a row for each b
accuracy = np.array([[1 - mistakes(w * x + b, y) for w in ws] for b in bs])  # (121, 161)
row, column = np.unravel_index(surface.argmin(), surface.shape)
print(f"lowest on the grid: w {ws[column]:.2f}, b {bs[row]:.2f}, loss {surface[row, column]:.4f}")
assert 0.02 < surface[row, column] < entropy / 2  # far below the guesser, and not zero: the species overlap

# %% [markdown]
# Now the walk. We start far away, with a model that has learned the opposite of the truth, and step
# against the slope. The slope comes from nudging both parameters; lesson 3.3 replaces that by a formula.


# %%
def descend(loss, w, b, learning_rate, n_steps, nudge=1e-5):
    """Path (n_steps + 1, 2) of w, b and its losses (n_steps + 1,) under gradient descent by nudging."""
    path, losses = [(w, b)], [mean_loss(w, b, loss)]
    for _ in range(n_steps):
        slope_w = (mean_loss(w + nudge, b, loss) - mean_loss(w - nudge, b, loss)) / (2 * nudge)
        slope_b = (mean_loss(w, b + nudge, loss) - mean_loss(w, b - nudge, loss)) / (2 * nudge)
        w, b = w - learning_rate * slope_w, b - learning_rate * slope_b
        path.append((w, b))
        losses.append(mean_loss(w, b, loss))
    return np.array(path), np.array(losses)


start, learning_rate, n_steps = (-4.0, -4.0), 4.0, 300
path, losses = descend(logistic_loss, *start, learning_rate, n_steps)
print(f"descent ends at w {path[-1, 0]:.3f}, b {path[-1, 1]:.3f}, loss {losses[-1]:.5f}")
assert np.abs(path[-1] - (ws[column], bs[row])).max() < 0.1  # a grid cell
assert losses[-1] <= surface.min() and np.all(np.diff(losses) <= 1e-12)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
heights = np.array([0.12, 0.14, 0.17, 0.2, 0.3, 0.5, 1, 2, 3, 4, 5])
lines = left.contour(ws, bs, surface, levels=heights, cmap="viridis", norm="log")
left.clabel(lines, heights[1:-2], fontsize=7, fmt="%g nats")
left.set(xlabel="weight w", ylabel="bias b", title="The loss slopes down to one lowest point")
shades = right.contourf(ws, bs, accuracy, levels=np.linspace(0, 1, 21), cmap="viridis", alpha=0.8)
fig.colorbar(shades, ax=right, label="accuracy")
right.set(xlabel="weight w", title="Accuracy: flat terraces, no way down")
for ax in (left, right):
    ax.plot(*path.T, ".-", color="black", markersize=4, linewidth=1, label="descent on the loss")
    ax.plot(*path[-1], "*", color="C1", markersize=13, markeredgecolor="black", label="where it ends")
right.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# Are the lowest loss and the highest accuracy in the same place? Nearly. The most accurate place on the
# map gets another bird or two right. Cross-entropy has a different wish, that its probabilities be honest,
# and trades a bird for it.

# %%
most_accurate, at_lowest = accuracy.max(), 1 - mistakes(path[-1, 0] * x + path[-1, 1], y)
print(f"accuracy: at the lowest loss {at_lowest:.1%}, highest on the map {most_accurate:.1%}")
assert most_accurate - 0.03 < at_lowest <= most_accurate

# %% [markdown]
# It also tells models apart that accuracy cannot. Multiply both parameters by three: every bird stays on
# its side, so the accuracy is the same, and the model is more certain about everything, its mistakes
# included.

# %%
w, b = path[-1]
print(f"{'':20s}{'accuracy':>12s}{'loss (nats)':>12s}")
for name, factor in (("hesitant", 1 / 3), ("as trained", 1), ("too certain", 3)):
    scores = factor * (w * x + b)
    print(f"{name:20s}{1 - mistakes(scores, y):12.3f}{logistic_loss(scores, y).mean():12.4f}")
    assert mistakes(scores, y) == mistakes(w * x + b, y)
    assert factor == 1 or logistic_loss(scores, y).mean() > 1.2 * losses[-1]

# %% [markdown]
# ## From a bad start
#
# Squared error has a slope, so why not descend it? Because at our start the model is sure and wrong. The
# same start, the same number of steps, the same learning rate; the accuracy is counted along the way.

# %%
paths = {"cross-entropy": path, "squared error": descend(squared_error, *start, learning_rate, n_steps)[0]}
accuracies = {
    name: [1 - mistakes(w * x + b, y) for w, b in points] for name, points in paths.items()
}  # n_steps + 1 numbers each
for name, values in accuracies.items():
    print(f"{name:20s}" + "".join(f"{values[step]:9.3f}" for step in range(0, n_steps + 1, n_steps // 6)))
assert accuracies["cross-entropy"][-1] > 0.9 and accuracies["squared error"][-1] <= shares[0] + 0.02

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.axhline(shares[0], color="0.7", linewidth=0.8, zorder=0)
ax.text(n_steps, shares[0] + 0.015, "always Adélie", ha="right", color="0.4")
ax.plot(accuracies["squared error"], "--", color="C0", label="descending squared error")
ax.plot(accuracies["cross-entropy"], color="C1", label="descending cross-entropy")
ax.set(xlabel="step", ylabel="accuracy", ylim=(0, 1))
ax.set_title("From a bad start, squared error stays with the guesser")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# It is not lost: with many more steps it gets away (try it). But there is a deeper difference. Along any
# straight line across the map, cross-entropy lies below the chord: it is *convex*, one valley and no
# other. Squared error is not. We draw chords at random and test their middles.

# %%
for name, loss in (("cross-entropy", logistic_loss), ("squared error", squared_error)):
    above = 0
    for one, other in zip(places[:1000], places[1000:2000]):
        chord = (mean_loss(*one, loss) + mean_loss(*other, loss)) / 2
        above += mean_loss(*(one + other) / 2, loss) > chord + 1e-12
    print(f"{name:20s}{above:12d} of 1000 middles lie above their chord")
    assert (above == 0) == (name == "cross-entropy")

# %% [markdown]
# ## What to remember
#
# - Count mistakes to report, not to learn: the count has no slope.
# - Cross-entropy is the mean surprise, $-\ln$ of the probability given to what was true. Its slope along
#   the score is the probability minus the truth.
# - A blind guesser's loss is $\ln K$; one that knows the shares has their entropy. Compare with both.
# - Compute it from scores, never from a probability that may have been rounded to zero.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Give the squared error ten times the steps. Where does its curve leave the plateau, and where does the
#    walk end?
# 2. Remove the birds in the overlap, bills between 40 and 46 mm. Where is the lowest point of the loss
#    now?
# 3. Use `flipper_length_mm` instead of the bill. By how much does the model beat the entropy of the
#    shares?
#
# ## Sources
#
# - C. E. Shannon, "A mathematical theory of communication", *Bell System Technical Journal* 27, 1948,
#   section 6: surprise and entropy.
# - D. R. Cox, "The regression analysis of binary sequences", *Journal of the Royal Statistical Society B*
#   20, 1958: the logistic model.
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, section 6.2.2: why cross-entropy keeps
#   the slope of a saturated unit.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
