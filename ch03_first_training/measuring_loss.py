# %% [markdown]
# # 3.2 Measuring loss: how wrong, in one number with a slope
#
# Two weather services were asked about the same dry day. One had said "rain, 60 percent", the other "rain,
# 99 percent". Both were wrong, but the second was wrong with more confidence, and a good measure of
# wrongness should tell the two apart. It should also tell a model which way to change, because training is
# nothing but making this one number smaller. Almost every classifier in use, from a spam filter to the next
# word of a chat assistant, is trained by the measure that this lesson arrives at.
#
# How do we measure in one number how wrong a classifier is, so that gradient descent can make it less
# wrong? **You will build** three measures, compare their slopes, and draw the map of the one that wins.
# **You need** a labelled, standardised data set (3.1), derivatives and their measurement by a small nudge
# (2.3), gradient descent (2.5), and probability (2.8).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# On three days a service gave the probabilities $\frac12$, $\frac14$ and $\frac18$ to what then happened,
# and we ask how surprised it should be each time. An event of probability $\frac18$ is as surprising as
# three heads in a row, so it should count three times as much as one of $\frac12$. The logarithm does
# this: the surprise (2.8) of an event of probability $p$ is $-\ln p$. Its unit is called nat, because the
# logarithm is the natural one:
#
# $$\begin{aligned}
#   \text{first day} \quad -\ln \tfrac12 &= \ln 2 \approx 0.69 \text{ nats} \\
#   \text{second day} \quad -\ln \tfrac14 &= 2 \ln 2 \\
#   \text{third day} \quad -\ln \tfrac18 &= 3 \ln 2 \\
#   \text{mean} \quad \tfrac13 (1 + 2 + 3) \ln 2 &= 2 \ln 2 \approx 1.39 \text{ nats}
# \end{aligned}$$
#
# A certain event has no surprise, since $\ln 1 = 0$, and each halving of $p$ adds $\ln 2$. The mean
# surprise of a model at what really happened is called cross-entropy (2.8). Which probability, given on
# every day, would have been just as bad? The one whose surprise is the mean: from $-\ln p = 2 \ln 2$
# follows $p = e^{-2 \ln 2} = \frac14$.

# %%
day_probabilities = np.array([1 / 2, 1 / 4, 1 / 8])
surprises = -np.log(day_probabilities)  # (3,)
print(f"surprises {surprises.round(3)} nats, mean {surprises.mean():.3f}")
print(f"as bad as giving the probability {np.exp(-surprises.mean()):.3f} on each day")
np.testing.assert_allclose(surprises.mean(), 2 * np.log(2))

# %% [markdown]
# ## A model with two parameters
#
# Is a penguin an Adélie (label 0) or a chinstrap (label 1)? We decide by the length of its bill alone. The
# two species overlap, so no model can be right about all of them. Nothing is graded in this lesson, so we
# standardise all the birds together and hold none out.

# %%
COLUMNS = ("bill_length_mm",)
SPECIES = ("Adelie", "Chinstrap")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
x = ((measurements - measurements.mean(axis=0)) / measurements.std(axis=0))[:, 0]  # (n, 1) -> (n,)
y = labels  # (n,): 0 for Adélie, 1 for chinstrap; x and y as in the formulas
print(f"{len(y)} birds, of which {y.sum()} are chinstraps")

# %% [markdown]
# The model has a weight $w$ and a bias $b$ (1.2). It turns a bill $x$ into a *score* $z = w x + b$, and a
# positive score means chinstrap. To get a probability of being a chinstrap, the score goes through the
# *sigmoid* (1.4), which maps any number to one between 0 and 1:
#
# $$p = \sigma(z) = \frac{1}{1 + e^{-z}} = \frac{e^{z}}{1 + e^{z}} .$$
#
# The two forms are equal on paper, but in a computer $e^{1000}$ overflows, so for each sign of $z$ we use
# the form whose exponent is not positive.


# %%
def sigmoid(scores):
    """1 / (1 + exp(-scores)) for scores of any size and shape, without overflow."""
    small = np.exp(-np.abs(scores))  # e^(-z) for a positive z, e^z for a negative one: never above one
    above = np.where(np.asarray(scores) >= 0, 1, small)  # the numerator: 1, or e^z if z < 0
    return above / (1 + small)


print(sigmoid(np.array([-1e4, -2.0, 0.0, 2.0, 1e4])))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
bills = np.linspace(x.min(), x.max(), 200)  # (200,)
for label, (name, marker) in enumerate((("Adélie", "o"), ("chinstrap", "^"))):
    chosen = x[y == label]
    ax.plot(chosen, np.full(len(chosen), label), marker, color="C0", fillstyle="none", label=name)
for (w, b), style in (((1.0, 0.0), ":"), ((5.0, -2.0), "-"), ((-4.0, -4.0), "--")):
    ax.plot(bills, sigmoid(w * bills + b), style, color="C1", label=f"w = {w:g}, b = {b:g}")
ax.set(xlabel="bill length (spreads from the mean)", ylabel="probability of chinstrap")
ax.set_title("Three models, and the birds at their labels")
ax.legend(loc="center right", fontsize=8)
plt.show()

# %% [markdown]
# A good model is near 0 where the circles are and near 1 where the triangles are, as the solid curve is.
# The dotted one is too hesitant, and the dashed one has learned the opposite of the truth: the
# shorter the bill, the more it believes in a chinstrap. We need a number that is small for the first of
# these and large for the last.
#
# ## Counting mistakes
#
# In the end we care about the share of birds on the wrong side. Can gradient descent make this share
# smaller? It needs the slopes along $w$ and along $b$ (2.4), so we go to five thousand random models, nudge
# each parameter by a millionth as in lesson 2.3, and count how often the share of mistakes changes at all.


# %%
def mistakes(scores, labels):
    """Share of scores on the wrong side of zero: label 1 needs a positive one. Both have shape (n,)."""
    return np.mean((scores > 0) != labels)


nudge = 1e-6
n_noticed = 0
for w, b in rng.uniform((-4, -8), (10, 4), size=(5000, 2)):
    n_noticed += mistakes((w + nudge) * x + b, y) != mistakes((w - nudge) * x + b, y)
    n_noticed += mistakes(w * x + b + nudge, y) != mistakes(w * x + b - nudge, y)
print(f"the share of mistakes noticed {n_noticed} of 10,000 nudges")

offsets = np.linspace(-6, 2, 1201)  # (1201,)
shares_wrong = np.array([mistakes(5.0 * x + b, y) for b in offsets])  # (1201,)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(offsets, shares_wrong, color="C1")
ax.set(xlabel="bias b, for w = 5", ylabel="share of mistakes", ylim=0)
ax.set_title("The share of mistakes as the bias moves")
plt.show()

# %% [markdown]
# The curve is a staircase, because the share changes only when a bird crosses from one side to the other.
# So nearly everywhere its slope is zero, and gradient descent, which steps along the slope, would stand
# still. This is why accuracy (3.1) is reported to people, while training follows something else.
#
# ## Two measures with a slope
#
# A measure with a slope has to look at the probability, and not only at the side. There are two candidates:
# for a label $y$, which is 0 or 1, the *squared error* is the squared distance between $p$ and $y$. The
# cross-entropy is the surprise at the true species, $-\ln p$ for a chinstrap and $-\ln(1 - p)$ for an
# Adélie:
#
# $$\ell_\text{squared} = (p - y)^2, \qquad \ell = -y \ln p - (1 - y) \ln(1 - p) .$$
#
# (One of the two products in $\ell$ is always zero.) How fast do they change with the score $z$? By the
# chain rule (2.3) we multiply the slope along $p$ by the slope of $p$ along $z$. We need two slopes for
# that: $p = \sigma(z)$ has the slope $e^{-z} / (1 + e^{-z})^2$, which is $p\,(1 - p)$, because $1 - p =
# e^{-z} / (1 + e^{-z})$. And $\ln p$ has the slope $1/p$, which can be measured like the other.

# %%
z = 0.5
p_at_z = sigmoid(z)
measured_sigmoid = (sigmoid(z + nudge) - sigmoid(z - nudge)) / (2 * nudge)
measured_ln = (np.log(p_at_z + nudge) - np.log(p_at_z - nudge)) / (2 * nudge)
predicted = [p_at_z * (1 - p_at_z), 1 / p_at_z]
print(f"slope of the sigmoid at z = {z}: measured {measured_sigmoid:.6f}, p (1 - p) = {predicted[0]:.6f}")
print(f"slope of ln at p = {p_at_z:.3f}: measured {measured_ln:.6f}, 1 / p = {predicted[1]:.6f}")
np.testing.assert_allclose([measured_sigmoid, measured_ln], predicted, rtol=1e-8)

# %% [markdown]
# So for a chinstrap, $y = 1$, the two losses have the slopes
#
# $$\begin{aligned}
#   \frac{\partial \ell_\text{squared}}{\partial z} &= 2\,(p - 1) \cdot p\,(1 - p) \\
#   \frac{\partial \ell}{\partial z} &= -\frac1p \cdot p\,(1 - p) = -(1 - p) = p - 1
# \end{aligned}$$
#
# In the cross-entropy the factor $p$ cancels. For an Adélie the factor $1 - p$ cancels in the same way, and
# leaves $p$. Both cases together are the formula of this chapter:
#
# $$\frac{\partial \ell}{\partial z} = p - y ,$$
#
# the probability minus the truth.
#
# In code the cross-entropy is computed from the score and not from $p$, since a probability that has been
# rounded to zero has no logarithm. With $\ln p = z - \ln(1 + e^z)$ and $\ln(1 - p) = -\ln(1 + e^z)$ it
# becomes $\ell = \ln(1 + e^z) - y z$, and `np.logaddexp(0, z)` is $\ln(e^0 + e^z)$ without overflow.


# %%
def check_labels(scores, labels):
    """Raises ValueError if the shapes of scores and labels differ, or a label is not 0 or 1."""
    if np.shape(scores) != np.shape(labels):
        raise ValueError(f"scores have shape {np.shape(scores)} but labels {np.shape(labels)}")
    if not np.all((np.asarray(labels) == 0) | (np.asarray(labels) == 1)):
        raise ValueError(f"labels must be 0 or 1, got {np.unique(labels).tolist()}")


def squared_error(scores, labels):
    """(sigmoid(score) - label)² for n scores and labels, 0 or 1. Raises ValueError as `check_labels`."""
    check_labels(scores, labels)
    p = sigmoid(scores)
    return (p - np.asarray(labels, dtype=p.dtype)) ** 2  # p keeps float32, and so must the labels


def logistic_loss(scores, labels):
    """Cross-entropy (nats) at each of n labels, 0 or 1, for n scores; finite at any finite score.

    Raises ValueError as `check_labels`.
    """
    check_labels(scores, labels)
    return np.logaddexp(0, scores) - np.where(labels, scores, 0)  # ln(1 + e^z) - y z; y z is z or 0


hopeless = logistic_loss(np.array([-1e4, 1e4]), np.array([1, 0]))
print(f"hopelessly wrong scores: loss {hopeless}")
np.testing.assert_array_equal(hopeless, [1e4, 1e4])

# %% [markdown]
# We check both slopes by nudging the score of a chinstrap. Then we ask which of the two losses pulls
# harder on a model that is sure and wrong, at a score of $-8$.

# %%
scores = np.linspace(-8, 8, 161)  # (161,)
ones = np.ones(161, dtype=int)
p = sigmoid(scores)
slopes = {"squared error": 2 * (p - 1) * p * (1 - p), "cross-entropy": p - 1}
for name, loss in (("squared error", squared_error), ("cross-entropy", logistic_loss)):
    measured = (loss(scores + 1e-5, ones) - loss(scores - 1e-5, ones)) / 2e-5
    np.testing.assert_allclose(slopes[name], measured, atol=1e-9)
    print(f"{name:20s}slope at score -8: {slopes[name][0]:.5f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(scores, (scores <= 0) * 1.0, ":", color="0.4", label="mistake")
left.plot(scores, squared_error(scores, ones), "--", color="C0", label="squared error")
left.plot(scores, logistic_loss(scores, ones), color="C1", label="cross-entropy (nats)")
left.set(xlabel="score of a chinstrap", ylabel="loss", ylim=(-0.1, 4), title="Three measures of wrongness")
left.legend()
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.plot(scores, slopes["squared error"], "--", color="C0", label="squared error")
right.plot(scores, slopes["cross-entropy"], color="C1", label="cross-entropy")
right.set(xlabel="score of a chinstrap", ylabel="slope of the loss", title="Their slopes along the score")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# Read the right panel from right to left. For a bird that is right with certainty both slopes are near
# zero, as they should be. At the far left, where the model is sure and wrong, cross-entropy pulls with its
# full slope of $-1$, but squared error hardly pulls at all, because its factor $p\,(1 - p)$ is tiny there.
#
# ## Is a loss of 0.5 good?
#
# A loss needs a yardstick, and the first one is a guesser who has seen no bird and gives each of $K$
# classes the probability $1/K$. What is its loss, whatever the labels are? The second guesser knows how
# common each class is, and we try ninety-nine constant probabilities of a chinstrap. Which one would you
# give?


# %%
def cross_entropy(probabilities, labels):
    """Mean surprise (nats) at n labels in 0 … K-1 under rows of probabilities (n, K); infinite at a zero.

    Raises ValueError if there are no rows, if rows do not match the labels, hold a negative number or do
    not sum to one, or if a label is out of range.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:
        raise ValueError(f"probabilities have shape {probabilities.shape} but labels {labels.shape}")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"labels must lie in 0 … {probabilities.shape[1] - 1}")
    if np.any(probabilities < 0) or not np.allclose(probabilities.sum(axis=1), 1):
        raise ValueError("each row of probabilities must hold no negative number and sum to 1")
    of_the_truth = probabilities[np.arange(len(labels)), labels]  # (n,): from each row the one at its label
    with np.errstate(divide="ignore"):  # ln 0: something happened that was called impossible
        return -np.mean(np.log(of_the_truth))


print(f"{'classes':20s}{'guesser':>12s}{'ln K':>12s}")
for n_classes in (2, 3, 10, 1000):
    random_labels = rng.integers(n_classes, size=50)
    guess = np.full((50, n_classes), 1 / n_classes)
    guesser_loss = cross_entropy(guess, random_labels)
    print(f"{n_classes:<20d}{guesser_loss:12.4f}{np.log(n_classes):12.4f}")
    np.testing.assert_allclose(guesser_loss, np.log(n_classes), rtol=1e-10)

shares = np.bincount(y) / len(y)  # (2,)
constants = np.linspace(0.01, 0.99, 99)
constant_losses = [cross_entropy(np.tile([1 - c, c], (len(y), 1)), y) for c in constants]
best_constant = constants[np.argmin(constant_losses)]
entropy = -np.sum(shares * np.log(shares))
print(f"\nbest constant {best_constant:.2f}, share of chinstraps {shares[1]:.3f}")
print(f"its loss {min(constant_losses):.4f}, entropy of the shares {entropy:.4f}")

# %% [markdown]
# The blind guesser's loss is $\ln K$, so an untrained model should start near it. The best constant is the
# share of chinstraps itself, and its loss is the entropy (2.8) of the shares. Whatever a model gains
# below the entropy, it gains by looking at the bird. For our two species that means less than about 0.62,
# so 0.5 would be a little better than not looking.
#
# ## The map of the loss
#
# With two parameters the loss can be drawn as a map, as in lesson 2.4. Each point is a model $(w, b)$, and
# its height is the mean cross-entropy of all birds. The right panel shows the accuracy in the same places.
# On the left we let gradient descent walk, from the model that has learned the opposite of the truth. It
# measures its slopes by nudging, which lesson 3.3 will replace by a formula.


# %%
def mean_loss(w, b, loss=logistic_loss):
    """Mean over all birds of the loss of the scores w·x + b."""
    return np.mean(loss(w * x + b, y))


def descend(loss, w, b, learning_rate, n_steps, nudge=1e-5):
    """Path (n_steps + 1, 2) of w and b, and the losses along it, under gradient descent by nudging."""
    path = [(w, b)]
    losses = [mean_loss(w, b, loss)]
    for _ in range(n_steps):
        slope_w = (mean_loss(w + nudge, b, loss) - mean_loss(w - nudge, b, loss)) / (2 * nudge)
        slope_b = (mean_loss(w, b + nudge, loss) - mean_loss(w, b - nudge, loss)) / (2 * nudge)
        w = w - learning_rate * slope_w
        b = b - learning_rate * slope_b
        path.append((w, b))
        losses.append(mean_loss(w, b, loss))
    return np.array(path), np.array(losses)


ws = np.linspace(-5, 11, 161)  # (161,)
bs = np.linspace(-8, 4, 121)  # (121,)
surface = np.array([[mean_loss(w, b) for w in ws] for b in bs])  # (121, 161): one row for each b
accuracies = np.array([[1 - mistakes(w * x + b, y) for w in ws] for b in bs])  # (121, 161)

learning_rate = 4.0
n_steps = 300
path, losses = descend(logistic_loss, -4.0, -4.0, learning_rate, n_steps)
w_end, b_end = path[-1]
accuracy_at_end = 1 - mistakes(w_end * x + b_end, y)
print(f"descent ends at w {w_end:.3f}, b {b_end:.3f}")
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, lowest on the grid {surface.min():.4f}")
print(f"accuracy there {accuracy_at_end:.1%}, highest on the map {accuracies.max():.1%}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
heights = np.array([0.12, 0.14, 0.17, 0.2, 0.3, 0.5, 1, 2, 3, 4, 5])
contours = left.contour(ws, bs, surface, levels=heights, cmap="viridis", norm="log")
left.clabel(contours, heights[1:-2], fontsize=7, fmt="%g nats")
left.set(xlabel="weight w", ylabel="bias b", title="Mean cross-entropy")
shades = right.contourf(ws, bs, accuracies, levels=np.linspace(0, 1, 21), cmap="viridis", alpha=0.8)
fig.colorbar(shades, ax=right, label="accuracy")
right.set(xlabel="weight w", title="Accuracy")
for ax in (left, right):
    ax.plot(path[:, 0], path[:, 1], ".-", color="black", markersize=4, linewidth=1, label="descent")
    ax.plot(w_end, b_end, "*", color="C1", markersize=13, markeredgecolor="black", label="where it ends")
right.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# The map on the left slopes down from everywhere to one lowest point, and the path leads there. On the
# right are flat terraces with sudden edges, on which a walker feels no slope. The two maps agree on where
# the good models are, but not to the last bird: on the highest terrace one or two more birds are right.
# Cross-entropy also counts how sure the model is about every bird, and so its lowest point can lie where
# accuracy is not quite the highest.
#
# ## From a bad start
#
# Squared error has a slope, too, but is it good enough? We start from four models that are wrong with more
# and more confidence, and to be fair, each loss may try seven learning rates. After the same number of
# steps the table says how many times its own lowest value each loss is, so 1.00 is perfect.

# %%
LOSSES = {"cross-entropy": logistic_loss, "squared error": squared_error}
starts = (-2.0, -4.0, -6.0, -8.0)  # w and b alike
rates = (1, 4, 16, 64, 128, 256, 1024)
ratios = {}
for name, loss in LOSSES.items():
    lowest = descend(loss, 5.0, -2.0, 16.0, 1000)[1].min()  # from a good start
    print(f"{name}: lowest {lowest:.4f}\n{'start':20s}" + "".join(f"{rate:9d}" for rate in rates))
    ends = [[descend(loss, start, start, rate, n_steps)[1][-1] for rate in rates] for start in starts]
    ratios[name] = np.array(ends) / lowest  # (4, 7)
    for start, row in zip(starts, ratios[name]):
        print(f"w = b = {start:<12g}" + "".join(f"{ratio:9.2f}" for ratio in row))

# %% [markdown]
# Cross-entropy comes down to its lowest value from every start, with the same rates, 1 to 16. For squared
# error the rates that work become fewer with each row, and in the last row there is none. With the small
# rates the model soon calls every bird an Adélie, and there it stays, at nine times the lowest value. It is
# sure and wrong about all the chinstraps, so there is hardly a slope to follow. In the last row only the
# two largest rates get away, but their steps are so long that they carry the model past the lowest point,
# to weights at which it is too sure of everything. There the slopes are small again, so it creeps back,
# and is far from done after the last step. From an ordinary start, such as $w = b = 0$, squared error does
# as well here. But with cross-entropy a model that is sure and wrong finds its way back from every one of
# these starts, and this is why we shall use it.
#
# ## The same in PyTorch
#
# PyTorch has our loss under the name *binary cross-entropy* with logits, where *logit* is its word for a
# score before the sigmoid. `backward()` (2.7) computes the slopes, and for a mean of $n$ losses they must
# be $(p - y)/n$.

# %%
logits = torch.tensor(w_end * x + b_end, requires_grad=True)  # (n,)
torch_loss = F.binary_cross_entropy_with_logits(logits, torch.tensor(y, dtype=torch.float64))
torch_loss.backward()
grad_z = (sigmoid(w_end * x + b_end) - y) / len(y)  # (n,)
np.testing.assert_allclose(torch_loss.item(), losses[-1], rtol=1e-10)
np.testing.assert_allclose(logits.grad, grad_z, rtol=1e-10, atol=1e-12)
print(f"loss {torch_loss.item():.6f}, largest difference {np.abs(logits.grad.numpy() - grad_z).max():.1e}")

# %% [markdown]
# Loss and slopes agree to rounding.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert n_noticed < 100, "the share of mistakes hardly ever notices a nudge"
assert abs(slopes["squared error"][0]) < 1e-3, "sure and wrong, squared error hardly pulls"
assert slopes["cross-entropy"][0] < -0.999, "sure and wrong, cross-entropy pulls with its full slope"
assert abs(best_constant - shares[1]) <= 0.01, "the best constant probability is the share"
assert entropy <= min(constant_losses) < entropy + 1e-4, "and its loss is the entropy of the shares"
assert 0.6 < entropy < 0.63, "for these two species the entropy is about 0.62"
assert losses[-1] <= surface.min(), "descent finds a point as low as any on the grid"
assert losses[-1] < entropy / 2, "a model that looks at the bill has less than half the guesser's loss"
assert accuracies.max() - 0.02 < accuracy_at_end < accuracies.max(), "the best accuracy lies near by"
works = {name: ratios[name] < 1.05 for name in LOSSES}  # (4, 7) each: within a twentieth of the lowest
assert works["cross-entropy"][:, :3].all(), "cross-entropy arrives from every start at the same rates"
n_rates = works["squared error"].sum(axis=1).tolist()  # for each start
assert n_rates == sorted(n_rates, reverse=True) and n_rates[0] >= 3, "squared error has ever fewer"
assert n_rates[-1] == 0, "and from the last start none"
stuck = (
    lowest * ratios["squared error"][-1, :5]
)  # (5,); `lowest` is that of squared error, the last in LOSSES
assert np.abs(stuck - shares[1]).max() < 0.01, "with small rates every bird is called an Adélie in the end"
assert 1.05 < ratios["squared error"][-1, 5:].min() < 2, "with the largest it gets away, but is not done"
zero_path, zero_losses = descend(squared_error, 0.0, 0.0, 16.0, n_steps)
assert zero_losses[-1] < 1.01 * lowest, "from w = b = 0 squared error reaches its lowest value, too"
far_path, far_losses = descend(squared_error, -8.0, -8.0, 256.0, n_steps)
assert far_path[-1, 0] > 2 * zero_path[-1, 0], "from far out a large rate ends at a weight that is too large"
assert np.all(np.diff(far_losses) < 0), "and creeps back from there"

# %% [markdown]
# ## Going further
#
# Both parts are about the shape of the loss and can be skipped: confidence comes back in lesson 3.4, and
# convexity in lesson 7.1.
#
# ### How sure may a model be?
#
# Multiply both parameters by three. Every bird stays on its side, so the accuracy is the same, but the
# model is more certain of everything, its mistakes included. What does the loss say?

# %%
confidence_losses = {}
print(f"{'':20s}{'accuracy':>12s}{'loss (nats)':>12s}")
for name, factor in (("hesitant", 1 / 3), ("as trained", 1), ("too certain", 3)):
    scaled_scores = factor * (w_end * x + b_end)  # (n,)
    confidence_losses[name] = logistic_loss(scaled_scores, y).mean()
    print(f"{name:20s}{1 - mistakes(scaled_scores, y):12.3f}{confidence_losses[name]:12.4f}")

# %% [markdown]
# It is lowest as trained. Cross-entropy tells apart models that accuracy cannot: it punishes those who are
# less sure than the data allow, and those who are more sure.
#
# ### One valley
#
# A function is *convex* if it never lies above the straight line, the chord, between two of its points.
# Then it has no second valley in which descent could get stuck. We draw a thousand chords at random across
# the map, and count how many have the loss above them in the middle.

# %%
ends_of_chords = rng.uniform((-4, -8), (10, 4), size=(1000, 2, 2))  # (1000, 2 ends, w and b)
n_above = {}
for name, loss in LOSSES.items():
    n_above[name] = 0
    for one, other in ends_of_chords:
        middle = (one + other) / 2  # (2,): w and b
        chord = (mean_loss(*one, loss) + mean_loss(*other, loss)) / 2
        n_above[name] += mean_loss(*middle, loss) > chord + 1e-12
    print(f"{name:20s}{n_above[name]:12d} of 1000 middles lie above their chord")

# %% [markdown]
# None for cross-entropy, and many for squared error, which is flat far out and steep in between. The
# convexity holds for this model with any data, since each bird's loss is convex in its score. A network
# with a hidden layer (3.5) loses it.

# %%
assert confidence_losses["as trained"] < 0.9 * confidence_losses["hesitant"], "hesitation costs"
assert confidence_losses["as trained"] < 0.9 * confidence_losses["too certain"], "too much certainty costs"
assert n_above["cross-entropy"] == 0, "cross-entropy lies below every chord"
assert n_above["squared error"] > 100, "squared error does not"

# %% [markdown]
# ## What to remember
#
# - The share of mistakes is for people. It has no slope, so training needs another measure.
# - Cross-entropy is the mean surprise, $-\ln$ of the probability that was given to what is true. Its slope
#   along the score is $p - y$, the probability minus the truth.
# - Squared error of a probability loses its slope where the model is sure and wrong.
# - A blind guesser's loss is $\ln K$, and one who knows the shares has their entropy. Compare with both.
# - Compute the loss from scores, never from a probability that may have been rounded to zero.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top. An AssertionError at the end is no
# damage: it names the claim that your change has overturned.
#
# 1. Use the flipper instead of the bill: `COLUMNS = ("flipper_length_mm",)`. It separates these two species
#    less well. By how much will the loss after descent beat the entropy of the shares? Look at the map, and
#    at the numbers printed before it.
# 2. Start nearer: `starts = (-1.0, -2.0, -3.0, -4.0)`. From how many of the four starts will squared error
#    have at least three rates that bring it to its lowest value? Look at the second half of the table.
# 3. From a blank cell at the end: a third loss, $1 - p_\text{true}$, where $p_\text{true}$ is the
#    probability of the true class. Write its slope along the score for a chinstrap with the chain rule,
#    check it by nudging, and compare it at $-8$ with the two slopes that are printed above. Which of the
#    two does it resemble?
#
# ## Sources
#
# - C. E. Shannon, "A mathematical theory of communication", _Bell System Technical Journal_ 27, 1948,
#   section 6: surprise and entropy.
# - D. R. Cox, "The regression analysis of binary sequences", _Journal of the Royal Statistical Society B_
#   20, 1958: the logistic model.
# - I. Goodfellow, Y. Bengio, A. Courville, _Deep Learning_, 2016, section 6.2.2: cross-entropy keeps the
#   slope of a saturated unit, squared error loses it. Reproduced: "sure and wrong, squared error hardly".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
