# %% [markdown]
# # 5.1 The perceptron: a vote that learns from its mistakes
#
# Shall we go to the beach? The sun votes yes. A friend who comes along votes yes with a louder voice, the
# long way votes no, and it takes a certain enthusiasm to get off the sofa. A *neuron* is that vote:
# inputs, a *weight* for each, a threshold, one decision. Around 1960 Frank Rosenblatt found a way for it
# to learn its weights.
#
# **You will build** a neuron, the rule that trains it on penguins, the proof that training must end, and
# the two cases in which it never does. **You need** vectors (2.1), matrix products (2.2) and XOR (3.5).

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
# Sunshine is worth $2$, a friend who comes along $3$, a long way counts $-4$, and the sofa is the *bias*,
# $-1$. The *score* is the sum of the votes, $z = w \cdot x + b$, and the answer is yes when it is above
# zero. Sun and a friend, but far: $2 + 3 - 4 - 1 = 0$, so we stay. The function from score to answer is
# the *activation*; this one is called *step*.

# %%
weight, bias = np.array([2.0, 3.0, -4.0]), -1.0
print(f"{'sun, friend, far':20s}{'score':>12s}{'go?':>12s}")
scores = {}
for x in itertools.product((0, 1), repeat=3):
    scores[x] = float(weight @ x + bias)  # (3,) @ (3,) -> a number
    print(f"{x!s:20s}{scores[x]:12.0f}{'yes' if scores[x] > 0 else 'no':>12s}")
assert scores[1, 1, 1] == 0 and scores[0, 1, 0] == 2

# %% [markdown]
# ## A neuron is a line
#
# With two inputs, the places where the score is zero form a line: it says yes on one side and no on the
# other. The weights point straight at the yes side. How far a point $x$ lies from the line, in the units
# of the inputs, is
#
# $$d = \frac{w \cdot x + b}{\lVert w \rVert} .$$
#
# With $w = (3, 4)$ and $b = -5$, the point $(3, 4)$ scores $20$ and lies $4$ away. Walking those $4$ back
# against $w$ must end on the line.

# %%
weight, bias, point = np.array([3.0, 4.0]), -5.0, np.array([3.0, 4.0])
distance = (weight @ point + bias) / np.linalg.norm(weight)  # (2,) @ (2,) -> a number
foot = point - distance * weight / np.linalg.norm(weight)  # (2,)
print(f"distance {distance:.1f}, foot on the line {foot}, score there {weight @ foot + bias:.1e}")
assert distance == 4 and abs(weight @ foot + bias) < 1e-12

# %% [markdown]
# ## Two kinds of penguin
#
# Adélie penguins have short, deep bills, gentoos long and shallow ones. We measure both in millimetres
# from the average bill, and call an Adélie $-1$ and a gentoo $+1$. The bias becomes one more weight if
# every bird gets one more measurement that is always $1$.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm")
SPECIES = ("Adelie", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

order = rng.permutation(len(birds))
center = measurements.mean(axis=0)  # (2,)
bills, signs = (measurements - center)[order], (2 * labels - 1)[order]  # (n, 2), (n,)
features = np.column_stack([bills, np.ones(len(bills))])  # (n, 3): length, depth, and 1 for the bias
print(f"{len(bills)} birds, average bill {center[0]:.1f} mm long and {center[1]:.1f} mm deep")

# %% [markdown]
# ## Learn from mistakes only
#
# Rosenblatt's rule goes through the examples one by one. A bird on its right side, $y\, (w \cdot x) > 0$,
# changes nothing. A mistake pulls the weights towards the bird, or away from it:
#
# $$w \leftarrow w + y\, x .$$
#
# The very next score of that bird moves in the right direction, by
# $y\, (y x) \cdot x = \lVert x \rVert^2$. Weights start at zero, and a score of zero counts as a mistake.


# %%
def perceptron(features, signs, n_epochs):
    """Rosenblatt's rule from zero weights: `n_epochs` passes in the given order, or until one is clean.

    features: (n, D), the bias a constant column; signs: (n,) of +1 and -1.
    Returns the weights after every update, (n_updates + 1, D), the example behind each update, and the
    mistakes of each pass. Raises ValueError where the lengths differ or a sign is neither +1 nor -1.
    """
    if features.shape[:1] != np.shape(signs):
        raise ValueError(f"features have shape {features.shape} but signs {np.shape(signs)}")
    if not set(np.unique(signs)) <= {1, -1}:
        raise ValueError(f"signs must be +1 or -1, got {np.unique(signs)}")
    weight = np.zeros(features.shape[1])
    history, culprits, mistakes = [weight], [], []
    for _ in range(n_epochs):
        before = len(culprits)
        for i, (x, y) in enumerate(zip(features, signs)):
            if y * (weight @ x) <= 0:  # (D,) @ (D,) -> a number
                weight = weight + y * x
                history.append(weight)
                culprits.append(i)
        mistakes.append(len(culprits) - before)
        if mistakes[-1] == 0:
            break
    return np.array(history), culprits, mistakes


# %% [markdown]
# The first bird is always a mistake, since zero weights score it zero. After that the weights are that
# bird itself, with its sign. A pass may make more mistakes than the one before; the first pass without
# any is the last.

# %%
history, culprits, mistakes = perceptron(features, signs, n_epochs=100)
print(f"mistakes in each pass: {mistakes}")
for i, weight in zip(culprits, history[1:]):
    print(f"bird {i:3d}, {SPECIES[(signs[i] + 1) // 2]:8s}weight {weight.round(2)}")
for i, before, after in zip(culprits, history, history[1:]):
    pull = signs[i] * features[i] @ (after - before)  # (3,) @ (3,) -> a number
    np.testing.assert_allclose(pull, features[i] @ features[i], rtol=1e-10)
np.testing.assert_array_equal(history[1], signs[0] * features[0])
assert mistakes[-1] == 0 and np.all(signs * (features @ history[-1]) > 0)  # (n, 3) @ (3,) -> (n,)


# %%
def draw_classes(ax, points, is_positive, names):
    """Two classes as hollow circles and triangles; points: (n, 2)."""
    for marker, chosen, name in (("o", ~is_positive, names[0]), ("^", is_positive, names[1])):
        ax.plot(*points[chosen].T, marker, color="0.2", markersize=4, fillstyle="none", label=name)


def draw_sides(ax, weight, xlim, ylim, n=200, levels=(-2, 0, 2), alpha=0.35):
    """Colour where weight · (u, v, 1) is negative or positive, and draw the line between."""
    u, v = np.meshgrid(np.linspace(*xlim, n), np.linspace(*ylim, n))  # each (n, n)
    score = np.stack([u, v, np.ones_like(u)], axis=-1) @ weight  # (n, n, 3) @ (3,) -> (n, n)
    ax.contourf(u, v, np.sign(score), levels=levels, cmap="RdBu", alpha=alpha)
    ax.contour(u, v, score, levels=[0], colors="black")
    ax.set(xlim=xlim, ylim=ylim)


fig, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
for ax, k in zip(axes.flat, range(1, len(culprits) + 1)):
    draw_sides(ax, history[k], (-12, 18), (-4.5, 5.5))
    draw_classes(ax, bills, signs > 0, ("Adélie", "gentoo"))
    ax.plot(*bills[culprits[k - 1]], "s", color="C1", markersize=11, fillstyle="none", markeredgewidth=2)
    wrong = int(np.sum(signs * (features @ history[k]) <= 0))  # (n, 3) @ (3,) -> (n,)
    ax.set_title(f"after update {k}: {wrong} wrong")
fig.supxlabel("bill length (mm from average)")
fig.supylabel("bill depth (mm from average)")
axes[0, 0].legend(loc="lower right", fontsize=8)
fig.suptitle("Every mistake (orange square) pulls the line its own way")
plt.show()

# %% [markdown]
# ## Why it must end
#
# Suppose some unit vector $u$ separates the species with *margin* $\gamma$: every bird has
# $y\, (u \cdot x) \ge \gamma > 0$. And no vector $x$ is longer than $R$. Then each update makes
# $w \cdot u$ grow by at least $\gamma$, but $\lVert w \rVert^2$ by at most $R^2$: it becomes
# $\lVert w + y x \rVert^2 = \lVert w \rVert^2 + 2\, y\, (w \cdot x) + \lVert x \rVert^2$, and a mistake
# has $y\, (w \cdot x) \le 0$. After $k$ updates, from $w = 0$,
#
# $$k\, \gamma \;\le\; w \cdot u \;\le\; \lVert w \rVert \;\le\; \sqrt k\, R
#   \qquad\Longrightarrow\qquad k \le \left(\frac{R}{\gamma}\right)^2 .$$
#
# Any separating $u$ gives a bound, and the one with the widest margin the best. It points at the spot
# nearest to zero among all weighted averages of the vectors $y x$. To get there, look at the worst bird
# and move to the nearest spot on the way to it; repeat.


# %%
def widest_margin(features, signs, n_steps):
    """A unit vector u near the widest margin, the margin min y (u · x) it has, and a ceiling on any margin.

    features: (n, D), signs: (n,) of +1 and -1; ValueError where the lengths differ. Gilbert 1966.
    """
    if features.shape[:1] != np.shape(signs):
        raise ValueError(f"features have shape {features.shape} but signs {np.shape(signs)}")
    vectors = features * signs[:, None]  # (n, D) * (n, 1) -> (n, D)
    spot = vectors[0]
    for _ in range(n_steps):
        back = spot - vectors[np.argmin(vectors @ spot)]  # (n, D) @ (D,) -> (n,)
        if back @ back > 0:
            spot = spot - np.clip((spot @ back) / (back @ back), 0, 1) * back
    ceiling = float(np.linalg.norm(spot))
    u = spot / ceiling if ceiling else spot  # at zero no direction is left
    return u, float(np.min(vectors @ u)), ceiling  # (n, D) @ (D,) -> (n,)


u, margin, ceiling = widest_margin(features, signs, n_steps=20_000)
radius = float(np.max(np.linalg.norm(features, axis=1)))
bound = (radius / margin) ** 2
print(f"margin {margin:.4f} (none is wider than {ceiling:.4f})   radius {radius:.2f}   bound {bound:.0f}")
print(f"updates made: {len(culprits)}")
assert 0 < margin < ceiling < 1.01 * margin
assert len(culprits) <= bound

# %% [markdown]
# The bound holds for the birds in any order, also the unluckiest. We try many, and watch the squeeze on
# the longest run: from below the line $k\gamma$ pushes up, from above $\sqrt k R$ bends down. They would
# meet far to the right of where the run ends.

# %%
orders = [rng.permutation(len(bills)) for _ in range(200)]
runs = [perceptron(features[order], signs[order], n_epochs=1000) for order in orders]
n_updates = np.array([len(culprits) for _, culprits, _ in runs])  # (200,)
longest = runs[int(np.argmax(n_updates))][0]  # (n_updates + 1, 3)
k = np.arange(len(longest))
progress, lengths = longest @ u, np.linalg.norm(longest, axis=1)  # (k, 3) @ (3,) -> (k,); (k,)
print(f"updates over {len(orders)} orders: {n_updates.min()} to {n_updates.max()}, bound {bound:.0f}")
assert all(mistakes[-1] == 0 for _, _, mistakes in runs) and n_updates.max() <= bound
assert np.all(k * margin <= progress + 1e-9) and np.all(progress <= lengths + 1e-9)
assert np.all(lengths <= np.sqrt(k) * radius + 1e-9)

# %% [markdown]
# ## Units matter
#
# The bound knows the data only through $R$ and $\gamma$. Raw millimetres put all birds far away from zero
# in nearly the same direction: a large $R$ and, beside it, a small margin. Subtracting the average costs
# nothing and shortens the training; so does dividing by the spread (*standardising*).

# %%
versions = {
    "raw": measurements,
    "minus average": measurements - center,
    "standardized": (measurements - center) / measurements.std(axis=0),
}
print(f"{'inputs':20s}{'radius':>12s}{'margin':>12s}{'bound':>12s}{'mean updates':>16s}")
updates, bounds = {}, {}
for name, columns in versions.items():
    inputs, targets = np.column_stack([columns, np.ones(len(columns))]), 2 * labels - 1  # (n, 3), (n,)
    _, gap, _ = widest_margin(inputs, targets, n_steps=20_000)
    reach = np.max(np.linalg.norm(inputs, axis=1))
    updates[name] = [len(perceptron(inputs[order], targets[order], 1000)[1]) for order in orders[:50]]
    bounds[name] = (reach / gap) ** 2
    print(f"{name:20s}{reach:12.3g}{gap:12.3g}{bounds[name]:12.0f}{np.mean(updates[name]):16.1f}")
    assert max(updates[name]) <= bounds[name]
assert np.mean(updates["raw"]) > 4 * np.mean(updates["minus average"])

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(k, np.sqrt(k) * radius, ":", color="0.4", label="ceiling: √k R")
left.plot(k, lengths, "o-", color="C1", markersize=4, label="length of the weights")
left.plot(k, progress, "s--", color="C0", markersize=4, label="weights along u")
left.plot(k, k * margin, "-.", color="0.4", label="floor: k γ")
left.set(xlabel="update k", ylabel="length (mm)", title="The weights are caught between floor and ceiling")
left.legend()
for place, (name, counts) in enumerate(updates.items()):
    around = place + rng.uniform(-0.2, 0.2, size=len(counts))  # side by side, or the dots would overlap
    right.semilogy(around, counts, "o", color="C0", markersize=4)
    right.semilogy([place - 0.3, place + 0.3], [bounds[name]] * 2, "k-")
right.set(
    xticks=range(3), xticklabels=updates, ylabel="updates", title="No order breaks the bound", ylim=(0.7, 3e6)
)
right.legend(right.get_lines()[:2], ["updates, a dot for each order", "bound (R/γ)²"], loc="upper right")
plt.show()

# %% [markdown]
# ## Where it never ends: XOR
#
# "One or the other, not both" (lesson 3.5) has four points. Follow the rule on paper: four updates bring
# the weights from $(0, 0, 0)$ over $(0, 0, -1)$, $(0, 1, 0)$ and $(1, 1, 1)$ back to $(0, 0, 0)$. In a
# fixed order the next weights depend on the present ones alone. So once weights come back, all that
# followed them comes back too, for ever.

# %%
corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # (4, 2)
xor = np.array([-1, 1, 1, -1])  # (4,)
xor_history, _, xor_mistakes = perceptron(np.column_stack([corners, np.ones(4)]), xor, n_epochs=50)
ends = [tuple(xor_history[k]) for k in np.cumsum([0, *xor_mistakes])]  # the weights at the end of each pass
print(f"mistakes in each pass: {xor_mistakes[:8]} and so on")
print(f"weights after each update: {xor_history[:5].astype(int).tolist()}")
assert len(set(ends)) == 1 and xor_mistakes == [4] * 50

# %% [markdown]
# The reason fits in one drawing. Both diagonals have the same midpoint. A score is a straight function,
# so at the midpoint it is the mean of its two ends. The yes corners demand a mean above zero, the no
# corners a mean below. No weights whatever can do both.

# %%
for weight in rng.normal(size=(1000, 3)):
    z = np.column_stack([corners, np.ones(4)]) @ weight  # (4, 3) @ (3,) -> (4,)
    assert abs((z[0] + z[3]) - (z[1] + z[2])) < 1e-12  # both are twice the score of the midpoint

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(np.arange(1, 16), xor_mistakes[:15], "o-", color="C1", label="XOR")
left.plot(np.arange(1, len(mistakes) + 1), mistakes, "s--", color="C0", label="penguins")
left.set(xlabel="pass", ylabel="mistakes", title="XOR goes round in circles", yticks=range(5))
left.legend()
right.plot([0, 1], [0, 1], "--", color="0.6")
right.plot([0, 1], [1, 0], "-", color="0.6")
draw_classes(right, corners, xor > 0, ("no: score below 0", "yes: score above 0"))
for line in right.get_lines()[2:]:
    line.set_markersize(12)
right.plot(0.5, 0.5, "*", color="C1", markersize=16, label="must be both")
right.set(xlim=(-0.2, 1.2), ylim=(-0.2, 1.7), xlabel="first input", ylabel="second input")
right.set_title("One midpoint, two demands")
right.legend(loc="upper center", fontsize=9)
plt.show()

# %% [markdown]
# ## Where it never ends: species that overlap
#
# Chinstraps have long bills too, and a few look like Adélies. The search for a margin proves that no line
# is perfect: its ceiling sinks to zero, so some weighted average of the vectors $y x$ vanishes, and
# scores that are all positive cannot average to nothing. So the rule never stops, and where we stop it is
# chance: its last mistake may have spoiled good weights. The *pocket* version runs the same rule, but
# keeps the best weights so far in its pocket.


# %%
def pocket(features, signs, n_epochs):
    """The best weights that `perceptron` passes through, and the share right after every update.

    Returns (D,) and (n_updates + 1,). Gallant 1990, judged on all examples (his "ratchet").
    """
    history, _, _ = perceptron(features, signs, n_epochs)
    right = np.mean(signs * (history @ features.T) > 0, axis=1)  # (k, D) @ (D, n) -> (k, n) -> (k,)
    return history[np.argmax(right)], right


# %% [markdown]
# The same ten lines as before load the other pair of species. How good are the weights at the end, and
# how good are those in the pocket?

# %%
SPECIES = ("Adelie", "Chinstrap")
with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

order = rng.permutation(len(birds))
mixed = (measurements - measurements.mean(axis=0))[order]  # (n, 2)
mixed_signs = (2 * labels - 1)[order]  # (n,)
mixed_features = np.column_stack([mixed, np.ones(len(mixed))])  # (n, 3)
_, _, mixed_ceiling = widest_margin(mixed_features, mixed_signs, n_steps=20_000)
pocketed, share = pocket(mixed_features, mixed_signs, n_epochs=60)
best_so_far = np.maximum.accumulate(share)
print(f"{len(share) - 1} updates, right at the end {share[-1]:.1%}, in the pocket {best_so_far[-1]:.1%}")
print(f"the last 100 weights were right on {share[-100:].min():.1%} to {share[-100:].max():.1%}")
print(f"no line has a margin above {mixed_ceiling:.1e} mm")
assert mixed_ceiling < 1e-12
assert share[-100:].min() < 0.9 < 0.93 < best_so_far[-1] < 1

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(100 * share, "-", color="C0", linewidth=0.8, label="current weights")
left.plot(100 * best_so_far, "--", color="C1", linewidth=2, label="in the pocket")
left.set(
    xlabel="update", ylabel="birds on the right side (%)", title="The rule wanders, the pocket keeps the best"
)
left.legend(loc="lower right")
draw_sides(right, pocketed, (-11, 18), (-4, 4.5))
draw_classes(right, mixed, mixed_signs > 0, ("Adélie", "chinstrap"))
right.set(xlabel="bill length (mm from average)", ylabel="bill depth (mm from average)")
right.set_title("A good line, though no line is perfect")
right.legend(loc="lower right", fontsize=9)
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Linear(2, 1)` holds two weights and a bias and computes the score. We copy the weights that
# separated Adélie from gentoo and compare the decisions on a grid of bills.

# %%
linear = nn.Linear(2, 1, dtype=torch.float64)
with torch.no_grad():
    linear.weight.copy_(torch.from_numpy(history[-1][None, :2]))  # (1, 2)
    linear.bias.copy_(torch.from_numpy(history[-1][2:]))  # (1,)
grid = np.array(list(itertools.product(np.linspace(-12, 18, 61), np.linspace(-5, 5, 51))))  # (3111, 2)
ours = grid @ history[-1][:2] + history[-1][2]  # (3111, 2) @ (2,) -> (3111,)
with torch.no_grad():
    theirs = linear(torch.from_numpy(grid))[:, 0].numpy()  # (3111, 1) -> (3111,)
np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
decisions, torch_decisions = ours > 0, theirs > 0
print(f"{np.sum(decisions != torch_decisions)} of {len(grid)} decisions differ")
assert np.array_equal(decisions, torch_decisions) and 0 < decisions.mean() < 1

# %% [markdown]
# ## What to remember
#
# - A neuron is a weighted vote; its zero line cuts the inputs in two, and the weights point at the yes
#   side.
# - Rosenblatt's rule learns from mistakes only, and makes at most $(R/\gamma)^2$ of them if a line
#   separates the classes: the wider the gap, the fewer.
# - If no line does, it never ends. A few overlapping examples call for a pocket, XOR for more than one
#   neuron.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Update with `weight + 0.1 * y * x`. Which decisions change? (Every weight starts at zero.)
# 2. Leave the constant column out. Do centred penguins still separate? Do raw ones?
# 3. Give XOR a third input, the product of the first two. How many updates now?
#
# ## Sources
#
# - F. Rosenblatt, "The perceptron", *Psychological Review* 65, 1958: the machine; *Principles of
#   neurodynamics*, 1962: the rule that learns from mistakes only.
# - A. B. J. Novikoff, "On convergence proofs on perceptrons", 1962: the bound.
# - E. G. Gilbert, "An iterative procedure for computing the minimum of a quadratic form on a convex set",
#   1966.
# - M. Minsky, S. Papert, *Perceptrons*, 1969: what one neuron cannot do.
# - S. I. Gallant, "Perceptron-based learning algorithms", *IEEE Trans. Neural Networks* 1, 1990: the
#   pocket.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
