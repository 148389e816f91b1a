# %% [markdown]
# # 5.1 The perceptron: a neuron that learns from its mistakes
#
# Shall we go to the beach? The sun speaks for it, a friend who would come along speaks for it more
# strongly, and a long way speaks against it. We add up the reasons, each with its weight, and go if the sum
# is high enough. That is exactly what a *perceptron* computes, the simplest artificial neuron: inputs, one
# weight for each, a sum, and a yes or no. Every neuron in this course, and in every large language model,
# begins with such a weighted sum.
#
# Around 1960 Frank Rosenblatt asked whether such a neuron could find its weights by itself, from examples
# and their right answers. When does that succeed, and how long does it take?
#
# **You will build** a neuron and the rule that trains it, tell two kinds of penguin apart with it, prove
# that its training must end, and see two cases in which it never does. **You need** vectors (2.1), matrix
# products (2.2) and XOR (3.5).

# %%
import csv
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# An input $x_i$ is $1$ if the reason is there and $0$ if it is not. Each has a weight $w_i$: $2$ for the
# sun, $3$ for the friend, $-4$ for the long way. A last number, the bias $b = -1$, does not depend on the
# inputs; here it is the effort of leaving the sofa. The neuron adds up $w_i x_i$ and the bias, which gives
# its score $z$, and says yes if the score is above zero. With sun and a friend, but a long way:
#
# $$\begin{aligned}
#   \text{score} \quad z &= w \cdot x + b = 2 \cdot 1 + 3 \cdot 1 - 4 \cdot 1 - 1 = 0 \\
#   \text{answer} \quad y &= \text{no, because } z \text{ is not above } 0
# \end{aligned}$$
#
# If the beach were near, the score would be $2 + 3 - 1 = 4$, and we would go. The function that turns the
# score into the output is the activation (3.5). The perceptron's is called the *step function*: $1$ above
# zero, else $0$.

# %%
beach_weight = np.array([2.0, 3.0, -4.0])  # (3,): sun, friend, far
beach_bias = -1.0
beach_scores = {}
print(f"{'sun, friend, far':20s}{'score':>12s}{'go?':>12s}")
for reasons in itertools.product((0, 1), repeat=3):
    beach_scores[reasons] = float(beach_weight @ reasons + beach_bias)  # (3,) @ (3,) -> ()
    answer = "yes" if beach_scores[reasons] > 0 else "no"
    print(f"{reasons!s:20s}{beach_scores[reasons]:12.0f}{answer:>12s}")
assert beach_scores[1, 1, 1] == 0 and beach_scores[1, 1, 0] == 4

# %% [markdown]
# ## A neuron draws a line
#
# With two inputs we can draw a neuron's decisions. The points whose score is zero form a line. On one side
# of it all scores are positive, and the neuron says yes, while on the other side it says no. The weight
# vector $w$ stands at a right angle to the line and points to the yes side, because the score grows fastest
# along $w$. The distance of a point $x$ from the line is
#
# $$d = \frac{w \cdot x + b}{\lVert w \rVert} ,$$
#
# positive on the yes side and negative on the other. To check it, take $w = (3, 4)$ with the length $5$,
# $b = -5$, and the point $(3, 4)$. Its score is $9 + 16 - 5 = 20$, so its distance should be $4$. If we go
# back by $4$ against the direction of $w$, we must arrive on the line, where the score is zero.

# %%
line_weight = np.array([3.0, 4.0])
line_bias = -5.0
point = np.array([3.0, 4.0])
distance = (line_weight @ point + line_bias) / np.linalg.norm(line_weight)  # (2,) @ (2,) -> ()
foot = point - distance * line_weight / np.linalg.norm(line_weight)  # (2,)
print(f"distance {distance:.1f}, foot on the line {foot}, score there {line_weight @ foot + line_bias:.1e}")
assert distance == 4 and abs(line_weight @ foot + line_bias) < 1e-12

# %% [markdown]
# ## Two kinds of penguin
#
# Adélie penguins have short, deep bills, and gentoos have long, shallow ones. We measure length and depth
# in millimetres from the average bill of the two species. An Adélie gets the label $-1$ and a gentoo $+1$,
# because then a decision is right exactly if label and score have the same sign, $y z > 0$. The bias
# becomes one more weight if every bird gets a third measurement that is always $1$.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)


def two_species(negative, positive):
    """Bills of two species in random order, mm from average (n, 2), and their signs (n,), -1 and +1."""
    is_chosen = (labels == SPECIES.index(negative)) | (labels == SPECIES.index(positive))
    order = rng.permutation(np.flatnonzero(is_chosen))
    points = measurements[order] - measurements[order].mean(axis=0)
    return points, np.where(labels[order] == SPECIES.index(positive), 1, -1)


def with_bias(points):
    """Points (n, 2) with a third column that is always 1: its weight is the bias."""
    return np.column_stack([points, np.ones(len(points))])  # (n, 2) -> (n, 3)


bills, signs = two_species("Adelie", "Gentoo")  # (n, 2), (n,)
features = with_bias(bills)  # (n, 3)
print(f"{np.sum(signs < 0)} Adélies, {np.sum(signs > 0)} gentoos")

# %% [markdown]
# ## Learn from mistakes only
#
# Rosenblatt's rule goes through the examples one by one. If a bird is on its right side, nothing changes.
# If it is on the wrong side, its features are added to the weights, or subtracted if its label is $-1$:
#
# $$w \leftarrow w + y\, x .$$
#
# Why should this help? The score of the same bird was $w \cdot x$ and is now
# $(w + y x) \cdot x = w \cdot x + y\, \lVert x \rVert^2$. So it has moved towards its label. The weights
# start at zero, and because a score of zero is neither side, it counts as a mistake.


# %%
def perceptron(features, signs, n_epochs):
    """Rosenblatt's rule from zero weights: at most `n_epochs` passes, to the first one without a mistake.

    features: (n, D), the bias a constant column; signs: (n,) of +1 and -1.
    Returns the weights after every update, (n_updates + 1, D), the example behind each update, and the
    number of mistakes in each pass. Raises ValueError if the lengths differ or a sign is neither +1 nor -1.
    """
    if features.shape[:1] != np.shape(signs):
        raise ValueError(f"features have shape {features.shape} but signs {np.shape(signs)}")
    if not set(np.unique(signs)) <= {1, -1}:
        raise ValueError(f"signs must be +1 or -1, got {np.unique(signs)}")
    dtype = np.result_type(features, np.float32)  # float32 stays, whole numbers become floats
    features = features.astype(dtype)
    signs = np.asarray(signs, dtype=dtype)
    weight = np.zeros(features.shape[1], dtype=dtype)
    history = [weight]
    updated_by = []
    mistakes = []
    for _ in range(n_epochs):
        n_before = len(updated_by)
        for i, (x, y) in enumerate(zip(features, signs)):
            if y * (weight @ x) <= 0:  # (D,) @ (D,) -> ()
                weight = weight + y * x
                history.append(weight)
                updated_by.append(i)
        mistakes.append(len(updated_by) - n_before)
        if mistakes[-1] == 0:
            break
    return np.array(history), updated_by, mistakes


# %% [markdown]
# But an update looks at one bird only, and it may push other birds to the wrong side. Will the birds keep
# undoing each other's updates? We run the rule and draw the line after each update. The orange square is
# the bird that caused it.

# %%
history, updated_by, mistakes = perceptron(features, signs, n_epochs=100)
print(f"mistakes in each pass: {mistakes}")
for i, weight in zip(updated_by, history[1:]):
    print(f"bird {i:3d}, label {signs[i]:2d}   weight {weight.round(2)}")


# %%
def draw_classes(ax, points, is_positive, names):
    """Two classes as hollow circles and triangles; points: (n, 2)."""
    for marker, chosen, name in (("o", ~is_positive, names[0]), ("^", is_positive, names[1])):
        ax.plot(*points[chosen].T, marker, color="0.2", markersize=4, fillstyle="none", label=name)


def draw_sides(ax, weight, xlim, ylim):
    """Colour where weight · (u, v, 1) is negative (red) or positive (blue), and draw the line between."""
    u, v = np.meshgrid(np.linspace(*xlim, 200), np.linspace(*ylim, 200))  # (200, 200) each
    score = np.stack([u, v, np.ones_like(u)], axis=-1) @ weight  # (200, 200, 3) @ (3,) -> (200, 200)
    ax.contourf(u, v, np.sign(score), levels=(-2, 0, 2), cmap="RdBu", alpha=0.35)
    ax.contour(u, v, score, levels=[0], colors="black")
    ax.set(xlim=xlim, ylim=ylim)


def limits(values):
    """The range of values (n,), a little widened."""
    room = 0.06 * np.ptp(values)
    return values.min() - room, values.max() + room


n_wrong = np.sum(signs * (history @ features.T) <= 0, axis=1)  # (k, 3) @ (3, n) -> (k, n) -> (k,)
fig, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
for ax, update in zip(axes.flat, range(1, len(updated_by) + 1)):
    draw_sides(ax, history[update], limits(bills[:, 0]), limits(bills[:, 1]))
    draw_classes(ax, bills, signs > 0, ("Adélie", "gentoo"))
    ax.plot(*bills[updated_by[update - 1]], "s", color="C1", markersize=11, fillstyle="none")
    ax.set_title(f"after update {update}: {n_wrong[update]} wrong")
fig.supxlabel("bill length (mm from average)")
fig.supylabel("bill depth (mm from average)")
axes[0, 0].legend(loc="lower right", fontsize=8)
plt.show()

# %% [markdown]
# In this order the birds do undo part of each other's work: some updates leave more birds on the wrong
# side than there were before (this happens in about a third of the random orders that we try below). But
# in the third pass no bird is on the wrong side, so nothing can change any more. A handful of updates was
# enough for more than two hundred birds.
#
# ## Why the training must end
#
# Was that only luck? It was not, because if any line separates the two classes, the rule makes only a
# limited number of mistakes, in whatever order the examples come. Suppose that some vector $u$ of length
# one has $y\, (u \cdot x) \ge \gamma > 0$ for every bird. The number $\gamma$ is called its *margin*, and a
# wide margin means a wide gap between the classes. Let $R$ be the length of the longest $x$. An update
# $w \leftarrow w + y x$ does two things.
#
# $$\begin{aligned}
#   w \cdot u \text{ grows:} \quad & (w + y x) \cdot u = w \cdot u + y\, (u \cdot x)
#     \ge w \cdot u + \gamma \\
#   \lVert w \rVert^2 \text{ grows little:} \quad & \lVert w + y x \rVert^2
#     = \lVert w \rVert^2 + 2\, y\, (w \cdot x) + \lVert x \rVert^2 \le \lVert w \rVert^2 + R^2
# \end{aligned}$$
#
# The second line uses that the bird was a mistake, so that $y\, (w \cdot x) \le 0$. After $k$ updates from
# zero, $w \cdot u$ is at least $k \gamma$, and $\lVert w \rVert$ is at most $\sqrt k\, R$. But $w \cdot u$
# cannot be larger than $\lVert w \rVert$, since $u$ has length one (2.1):
#
# $$k\, \gamma \;\le\; w \cdot u \;\le\; \lVert w \rVert \;\le\; \sqrt k\, R
#   \qquad\Longrightarrow\qquad k \le \left(\frac{R}{\gamma}\right)^2 .$$
#
# Every separating $u$ gives such a bound, and the widest margin gives the lowest. To find a wide one we
# try many random directions and keep the best. Then we train in two hundred random orders and look at the
# longest run.

# %%
directions = rng.normal(size=(20_000, 3))
directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)  # (20000, 3), each of length 1
margins = np.min(directions @ (features * signs[:, None]).T, axis=1)  # (20000, 3) @ (3, n) -> (20000,)
best_direction = directions[np.argmax(margins)]  # (3,): u
margin = float(margins.max())
radius = float(np.max(np.linalg.norm(features, axis=1)))
bound = (radius / margin) ** 2
print(f"margin {margin:.3f} mm, radius {radius:.2f} mm: at most {bound:.0f} updates")

orders = [rng.permutation(len(bills)) for _ in range(200)]
runs = [perceptron(features[order], signs[order], n_epochs=1000) for order in orders]
n_updates = np.array([len(indices) for _, indices, _ in runs])  # (200,)
has_worsened = []  # for each order, whether an update left more birds on the wrong side than before it
for weights, _, _ in runs:
    run_wrong = np.sum(signs * (weights[1:] @ features.T) <= 0, axis=1)  # (k, 3) @ (3, n) -> (k, n) -> (k,)
    has_worsened.append(bool(np.any(np.diff(run_wrong) > 0)))
print(f"in {len(orders)} orders: {n_updates.min()} to {n_updates.max()} updates")
print(f"an update left more birds on the wrong side in {np.mean(has_worsened):.0%} of them")

# %%
longest = runs[int(np.argmax(n_updates))][0]  # (n_updates + 1, 3)
k = np.arange(len(longest))
progress = longest @ best_direction  # (k, 3) @ (3,) -> (k,): w · u
lengths = np.linalg.norm(longest, axis=1)  # (k,)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(k, np.sqrt(k) * radius, ":", color="0.4", label="upper bound √k R")
left.plot(k, lengths, "o-", color="C1", markersize=4, label="length of w")
left.plot(k, progress, "s--", color="C0", markersize=4, label="w · u")
left.plot(k, k * margin, "-.", color="0.4", label="lower bound k γ")
left.set(xlabel="update k", ylabel="length (mm)", title="The longest run and the two bounds")
left.legend()
right.hist(n_updates, bins=np.arange(n_updates.max() + 2) - 0.5, color="C0", edgecolor="white")
right.set(xlabel="updates until the end", ylabel="orders", title=f"200 orders (bound: {bound:.0f} updates)")
plt.show()

# %% [markdown]
# On the left, the weights of the longest run stay between the two grey lines, as they must. The lower line
# is straight and the upper one bends, so far to the right they meet, at the bound. Beyond it the argument
# leaves no room for another mistake. On the right, every order ended after a few updates, far below the
# bound. The bound holds for every order and for all data with this margin and radius, and most of them are
# far from the worst case.
#
# ## Where it never ends: XOR
#
# The bound has the condition that some line must separate the classes. "One or the other, but not both"
# (3.5) has four points. What does the rule do with them? You can follow it on paper, with the corners in
# the order of the code.

# %%
corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # (4, 2)
xor = np.array([-1, 1, 1, -1])  # (4,)
xor_history, _, xor_mistakes = perceptron(with_bias(corners), xor, n_epochs=50)
print(f"mistakes in each pass: {xor_mistakes[:8]} and so on")
print(f"weights after each update: {xor_history[:5].astype(int).tolist()}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(np.arange(1, 16), xor_mistakes[:15], "o-", color="C1", label="XOR")
left.plot(np.arange(1, len(mistakes) + 1), mistakes, "s--", color="C0", label="penguins")
left.set(xlabel="pass", ylabel="mistakes", title="Mistakes in each pass")
left.set_ylim(-0.3, max(xor_mistakes + mistakes) + 1.2)
left.legend(loc="upper right")
right.plot([0, 1], [0, 1], "--", color="0.6")
right.plot([0, 1], [1, 0], "-", color="0.6")
for marker, chosen, name in (("o", xor < 0, "no: score below 0"), ("^", xor > 0, "yes: score above 0")):
    right.plot(*corners[chosen].T, marker, color="0.2", markersize=12, fillstyle="none", label=name)
right.plot(0.5, 0.5, "*", color="C1", markersize=16, label="midpoint of both diagonals")
right.set(xlim=(-0.2, 1.2), ylim=(-0.2, 1.9), xlabel="first input", ylabel="second input")
right.set_title("The four points of XOR")
right.legend(loc="upper center", fontsize=9)
plt.show()

# %% [markdown]
# After four updates the weights are zero again, and because the examples come in a fixed order, the next
# pass must repeat this one, so the rule goes round in a circle.
#
# The right panel shows why no other weights would do. Both diagonals have the same midpoint, and because
# the score is $w \cdot x + b$, its value at the midpoint is the average of its values at the two ends.
# Suppose that some weights were right. Then both ends of the solid diagonal would have a score above zero,
# and so would its midpoint. Both ends of the dashed diagonal would have a score of zero or below, and so
# would its midpoint. But the two midpoints are the same point. So no weights are right, and XOR needs more
# than one neuron.
#
# ## Where it never ends: species that overlap
#
# Chinstraps have long bills like gentoos but deep ones like Adélies, and a few of them lie among the
# Adélies. How good are the weights after sixty passes? The *pocket algorithm* is a small change of the
# rule: it makes the same updates, but returns the best weights that it has passed through instead of the
# last ones.


# %%
def pocket(features, signs, n_epochs):
    """The best weights (D,) that `perceptron` passes through, and the share right after every update.

    The share has shape (n_updates + 1,). Gallant 1990, judged on all examples (his "ratchet").
    """
    history, _, _ = perceptron(features, signs, n_epochs)
    right = np.mean(signs * (history @ features.T) > 0, axis=1)  # (k, D) @ (D, n) -> (k, n) -> (k,)
    return history[np.argmax(right)], right


mixed, mixed_signs = two_species("Adelie", "Chinstrap")  # (n, 2), (n,)
pocketed, share = pocket(with_bias(mixed), mixed_signs, n_epochs=60)
best_so_far = np.maximum.accumulate(share)
print(f"{len(share) - 1} updates in 60 passes")
print(f"the last 100 weights were right on {share[-100:].min():.1%} to {share[-100:].max():.1%}")
print(f"the weights in the pocket are right on {best_so_far[-1]:.1%}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(100 * share, "-", color="C0", linewidth=0.8, label="current weights")
left.plot(100 * best_so_far, "--", color="C1", linewidth=2, label="weights in the pocket")
left.set(xlabel="update", ylabel="birds on the right side (%)", title="Current weights and best weights")
left.legend(loc="lower right")
draw_sides(right, pocketed, limits(mixed[:, 0]), limits(mixed[:, 1]))
draw_classes(right, mixed, mixed_signs > 0, ("Adélie", "chinstrap"))
right.set(xlabel="bill length (mm from average)", ylabel="bill depth (mm from average)")
right.set_title("The line from the pocket")
right.legend(loc="lower right", fontsize=9)
plt.show()

# %% [markdown]
# The blue curve keeps jumping, because a bird that lies among the other species is a mistake for every good
# line, and its update can spoil a line that was right for nearly all others. So it is chance how good the
# weights are at the moment when we stop. The orange curve can only rise, and its line on the right leaves
# only three birds on the wrong side. (These are the birds by which the line was chosen, so on new birds it
# may do a little worse.)
#
# ## The same in PyTorch
#
# In PyTorch the sum $w \cdot x + b$ is `nn.Linear`, here with two inputs and one output. We copy the
# weights that separated Adélies from gentoos into it, and compare the decisions on a grid of bills.

# %%
linear = nn.Linear(2, 1, dtype=torch.float64)
with torch.no_grad():
    linear.weight.copy_(torch.from_numpy(history[-1][None, :2]))  # (1, 2)
    linear.bias.copy_(torch.from_numpy(history[-1][2:]))  # (1,)
grid = np.array(list(itertools.product(np.linspace(-12, 18, 61), np.linspace(-5, 5, 51))))  # (3111, 2)
our_scores = grid @ history[-1][:2] + history[-1][2]  # (3111, 2) @ (2,) -> (3111,)
with torch.no_grad():
    torch_scores = linear(torch.from_numpy(grid))[:, 0].numpy()  # (3111, 1) -> (3111,)
np.testing.assert_allclose(our_scores, torch_scores, rtol=1e-10, atol=1e-12)
decisions = our_scores > 0
torch_decisions = torch_scores > 0
print(f"{np.sum(decisions != torch_decisions)} of {len(grid)} decisions differ")
assert np.array_equal(decisions, torch_decisions) and 0 < decisions.mean() < 1

# %% [markdown]
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
for i, before, after in zip(updated_by, history, history[1:]):
    change = signs[i] * features[i] @ (after - before)  # (3,) @ (3,) -> ()
    assert np.isclose(change, features[i] @ features[i]), "an update moves its bird's score by ‖x‖²"
assert mistakes[-1] == 0 and n_wrong[-1] == 0, "the rule ends with every bird on its right side"
assert np.any(np.diff(n_wrong) > 0), "some updates leave more birds on the wrong side"
assert 0.2 < np.mean(has_worsened) < 0.5, "this happens in about a third of the orders"
assert len(updated_by) < 10, "a handful of updates is enough"
assert all(run_mistakes[-1] == 0 for _, _, run_mistakes in runs), "in every order the training ends"
assert n_updates.max() < bound / 10, "every order stays far below the bound"
assert np.all(k * margin <= progress + 1e-9), "w · u grows by the margin or more at each update"
assert np.all(lengths <= np.sqrt(k) * radius + 1e-9), "after k updates w is at most √k R long"
assert xor_mistakes == [4] * 50 and not xor_history[4].any(), "XOR's weights come back to zero in each pass"
assert share[-100:].min() < 0.9, "with overlapping species the rule keeps spoiling good weights"
assert 0.97 < best_so_far[-1] < 1, "the pocket keeps a line that is right for nearly all"
assert round((1 - best_so_far[-1]) * len(mixed)) == 3, "the line from the pocket is wrong for three birds"

# %% [markdown]
# ## Going further
#
# This part, which can be skipped, finds the widest margin exactly, and shows why inputs are standardised
# before training (3.1).
#
# ### The widest margin
#
# Multiply every bird's features by its label, $v = y x$. A vector $u$ separates the species if
# $u \cdot v > 0$ for all $v$. Now draw the smallest polygon that contains all the points $v$; its points
# are the weighted averages of the $v$. Let $p$ be its point nearest to zero. Two things follow.
#
# - Each $v$ has $v \cdot p \ge p \cdot p$, since else a short step from $p$ towards $v$ would come nearer
#   to zero. So $u = p / \lVert p \rVert$ has the margin $\lVert p \rVert$.
# - No $u$ of length one has a wider one: $p$ is an average of the $v$, so $u \cdot p$ is at least the
#   margin of $u$, and it is at most $\lVert p \rVert$.
#
# To find $p$, start at any $v$, look for the $v$ with the smallest dot product with the current point, go
# to the nearest point on the way to it, and repeat.


# %%
def widest_margin(features, signs, n_steps):
    """A unit vector u near the widest margin, its margin min y (u · x), and a ceiling on any margin.

    features: (n, D), signs: (n,) of +1 and -1; ValueError if the lengths differ or n is 0. Gilbert 1966.
    """
    if features.shape[:1] != np.shape(signs) or len(features) == 0:
        raise ValueError(f"features have shape {features.shape} but signs {np.shape(signs)}")
    vectors = np.asarray(features, dtype=float) * np.asarray(signs)[:, None]  # (n, D) * (n, 1) -> (n, D)
    nearest = vectors[0]
    for _ in range(n_steps):
        lowest = vectors[np.argmin(vectors @ nearest)]  # (n, D) @ (D,) -> (n,)
        step = lowest - nearest  # (D,)
        if step @ step > 0:
            nearest = nearest + np.clip(-(nearest @ step) / (step @ step), 0, 1) * step
    ceiling = float(np.linalg.norm(nearest))
    u = nearest / ceiling if ceiling else nearest  # if p is zero, there is no direction
    return u, float(np.min(vectors @ u)), ceiling  # (n, D) @ (D,) -> (n,)


flat_u, flat_margin, _ = widest_margin(bills, signs, n_steps=20_000)  # without bias: two dimensions to draw
u, exact_margin, ceiling = widest_margin(features, signs, n_steps=20_000)
_, _, mixed_ceiling = widest_margin(with_bias(mixed), mixed_signs, n_steps=20_000)
print(f"best of {len(directions)} random directions {margin:.4f}, by the rule {exact_margin:.4f} mm")
print(f"no margin is wider than {ceiling:.4f} mm; Adélies and chinstraps: {mixed_ceiling:.1e} mm")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
vectors = bills * signs[:, None]  # (n, 2) * (n, 1) -> (n, 2)
draw_classes(ax, vectors, signs > 0, ("Adélie, times −1", "gentoo"))
ax.axline((0, 0), slope=-flat_u[0] / flat_u[1], color="black", label="separating line")
ax.axline(flat_margin * flat_u, slope=-flat_u[0] / flat_u[1], color="C1", linestyle="--", label="margin")
ax.plot(0, 0, "P", color="black", markersize=9, label="zero")
ax.plot(*(flat_margin * flat_u), "*", color="C1", markersize=14, label="nearest point p")
ax.set(xlabel="y · bill length (mm)", ylabel="y · bill depth (mm)", aspect="equal")
ax.set(xlim=(-4, 11), ylim=(-9, 3.5), title="The vectors y·x and the widest margin")
ax.legend(loc="lower right", fontsize=8)
plt.show()

# %% [markdown]
# Drawn without the bias, all points lie on one side of the dashed line, and the star is the point of their
# polygon that is nearest to zero. With the bias, the random search had already come within a few percent
# of the widest margin. For Adélies and chinstraps the nearest point is zero itself, up to rounding. That
# proves that no line separates them: some average of the vectors $y x$ vanishes, and scores that are all
# positive cannot average to zero.
#
# ### Units matter
#
# The bound knows the data only through $R$ and $\gamma$. What happens if we feed raw millimetres, counted
# from zero instead of from the average? And what if each column is also divided by its standard deviation?

# %%
is_pair = labels != SPECIES.index("Chinstrap")
raw = measurements[is_pair]  # (n, 2)
raw_signs = np.where(labels[is_pair] == SPECIES.index("Gentoo"), 1, -1)  # (n,)
versions = {
    "raw": raw,
    "minus average": raw - raw.mean(axis=0),
    "standardised": (raw - raw.mean(axis=0)) / raw.std(axis=0),
}
bounds = {}
updates = {}
print(f"{'inputs':20s}{'radius':>12s}{'margin':>12s}{'bound':>12s}{'mean updates':>16s}")
for name, points in versions.items():
    inputs = with_bias(points)
    _, version_margin, _ = widest_margin(inputs, raw_signs, n_steps=20_000)
    version_radius = np.max(np.linalg.norm(inputs, axis=1))
    bounds[name] = (version_radius / version_margin) ** 2
    updates[name] = [len(perceptron(inputs[order], raw_signs[order], 1000)[1]) for order in orders[:50]]
    print(
        f"{name:20s}{version_radius:12.3g}{version_margin:12.3g}{bounds[name]:12.0f}"
        f"{np.mean(updates[name]):16.1f}"
    )

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for place, (name, counts) in enumerate(updates.items()):
    around = place + rng.uniform(-0.2, 0.2, size=len(counts))  # side by side, or the dots would overlap
    ax.semilogy(around, counts, "o", color="C0", markersize=4)
    ax.semilogy([place - 0.3, place + 0.3], [bounds[name]] * 2, "k-")
ax.set(xticks=range(3), xticklabels=updates, ylabel="updates", title="Updates until the end, and the bound")
ax.set_ylim(0.7, 20 * max(bounds.values()))
ax.legend(ax.get_lines()[:2], ["one order", "bound (R/γ)²"], loc="upper right")
plt.show()

# %% [markdown]
# Raw millimetres cost many times more updates, and their bound is higher, too. All raw birds lie far from
# zero in nearly the same direction, so $R$ is large and, compared with it, the margin is small. Subtracting
# the average removes most of that. Dividing by the standard deviation lowers the bound once more, but on
# these data it saves hardly any updates.

# %%
assert exact_margin <= ceiling < 1.01 * exact_margin, "the margin found is within a percent of the widest"
assert 0.93 * exact_margin < margin <= ceiling, "random search comes within a few percent of it"
assert mixed_ceiling < 1e-12, "no line separates Adélies from chinstraps"
for name in versions:
    assert max(updates[name]) <= bounds[name], f"no order breaks the bound ({name})"
assert np.mean(updates["raw"]) > 4 * np.mean(updates["minus average"]), "raw inputs take many times longer"
assert bounds["raw"] > 4 * bounds["minus average"], "and their bound is higher, too"
assert bounds["standardised"] < bounds["minus average"], "standardising lowers the bound once more"

# %% [markdown]
# ## What to remember
#
# - A neuron adds up weighted inputs and a bias and applies an activation. Its zero line cuts the inputs in
#   two, and the weights point to the yes side.
# - Rosenblatt's rule changes the weights at mistakes only. If some line separates the classes, it makes at
#   most $(R/\gamma)^2$ of them, in any order.
# - If no line does, it never ends. For a few overlapping examples keep the best weights; for XOR one
#   neuron is not enough.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Change the update to `weight + 0.1 * y * x`. Which decisions change, and which pass is the last? Look
#    at the printed mistakes and at the first figure, and remember that the weights start at zero.
# 2. Take the bias away: let `with_bias` add a column of zeros. Where must the line in the first figure
#    pass then, and do the penguins still separate?
# 3. From a blank cell at the end: give XOR a third input, the product of the first two, and run the rule
#    until it ends. Compare the number of updates with the endless circle above.
#
# ## Sources
#
# - F. Rosenblatt, "The perceptron", _Psychological Review_ 65, 1958: the machine. _Principles of
#   neurodynamics_, 1962: the rule that learns from mistakes only.
# - A. B. J. Novikoff, "On convergence proofs on perceptrons", 1962: the bound. Reproduced: "every order
#   stays far below the bound".
# - M. Minsky, S. Papert, _Perceptrons_, 1969: what one neuron cannot do. Reproduced: "XOR's weights come
#   back to zero in each pass".
# - S. I. Gallant, "Perceptron-based learning algorithms", _IEEE Transactions on Neural Networks_ 1, 1990:
#   the pocket algorithm. Reproduced: "the pocket keeps a line that is right for nearly all".
# - E. G. Gilbert, "An iterative procedure for computing the minimum of a quadratic form on a convex set",
#   1966: the nearest point.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
