# %% [markdown]
# # 2.5 Gradient descent: downhill in steps, and how long a step may be
#
# In fog the way down is the way against the slope, so a walker feels the slope, takes a step downhill,
# and feels again. *Gradient descent* does the same with numbers: it computes the slope of a function
# where it stands, takes a step against it, and repeats. The networks that recognise faces and translate
# texts all learned by this walk on their loss. One choice decides whether it works: how long is a step?
# With steps that are too short the walk takes too long, and with steps that are too long it leaps over
# the valley and lands higher than it stood.
#
# **You will build** gradient descent for functions of one number, find the exact learning rate at which
# it breaks, and fit a line to real penguins with a rule that says when to stop. **You need** derivatives
# (2.3) and the gradient of the penguins' loss (2.4).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# We walk in the valley $f(x) = x^2$, whose slope is $f'(x) = 2x$ (2.3). A step goes against the slope,
# and its length is the slope times a number $\eta$ (the Greek letter eta), the *learning rate*. We start
# at $x = 8$ with $\eta = \frac14$:
#
# $$\begin{aligned}
#   \text{slope at } 8 &= 2 \cdot 8 = 16, & x &\leftarrow 8 - \tfrac14 \cdot 16 = 4 \\
#   \text{slope at } 4 &= 2 \cdot 4 = 8, & x &\leftarrow 4 - \tfrac14 \cdot 8 = 2 \\
#   \text{slope at } 2 &= 2 \cdot 2 = 4, & x &\leftarrow 2 - \tfrac14 \cdot 4 = 1
# \end{aligned}$$
#
# The slope becomes smaller on the way, so the steps do, too, and each step halves the distance from the
# bottom. For the general parabola $f(x) = \frac12 \lambda x^2$ the slope is $\lambda x$. The number
# $\lambda$ (lambda) says how fast the slope changes, so it is the derivative of the derivative. That is
# called the *second derivative* $f''$, or the *curvature*. Above it was $2$. One step gives
#
# $$x - \eta f'(x) = x - \eta \lambda x = (1 - \eta\lambda)\, x .$$
#
# So each step multiplies the distance from the bottom by the same factor, $1 - \eta\lambda$.


# %%
def descend(gradient, start, learning_rate, n_steps):
    """The points visited: `start`, then n_steps steps against the gradient, as float64 (n_steps + 1, …).

    gradient: a function from a point to the gradient there; start: a number or an array.
    """
    point = np.array(start, dtype=float)
    path = [point]
    for _ in range(n_steps):
        point = point - learning_rate * gradient(point)
        path.append(point)
    return np.array(path)


curvature = 2.0


def parabola(x):
    return curvature * x * x / 2


def parabola_slope(x):
    return curvature * x


path = descend(parabola_slope, start=8, learning_rate=0.25, n_steps=3)
print(path)
assert path.tolist() == [8, 4, 2, 1]

# %% [markdown]
# ## Five learning rates
#
# What will the walk do at other learning rates? The factor $1 - \eta\lambda$ should tell. Before you run
# the cell, think what happens if it is $0.9$, if it is $0$, if it is negative, and if it is below $-1$.
# We start at $x = 1$ and take ten steps at each of five rates.

# %%
learning_rates = {"small": 0.05, "1/λ": 0.5, "large": 0.9, "2/λ": 1.0, "too large": 1.05}
paths = {}
print(f"{'learning rate':20s}{'η':>12s}{'1 − ηλ':>12s}{'measured':>12s}{'after 10 steps':>16s}")
for name, learning_rate in learning_rates.items():
    path = descend(parabola_slope, 1, learning_rate, n_steps=10)  # (11,)
    paths[name] = path
    factor = 1 - learning_rate * curvature
    print(f"{name:20s}{learning_rate:12.2f}{factor:12.2f}{path[1] / path[0]:12.2f}{path[-1]:16.3g}")
    np.testing.assert_allclose(path, factor ** np.arange(11), rtol=1e-10, atol=1e-12)

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
x = np.linspace(-1.7, 1.7, 200)  # (200,)
for ax, name in zip(axes, ("small", "1/λ", "large", "too large")):
    ax.plot(x, parabola(x), color="C0")
    ax.plot(paths[name], parabola(paths[name]), "o-", color="C1", markersize=4, linewidth=1)
    ax.plot(1, parabola(1), "s", color="0.2", fillstyle="none", markersize=9)
    title = f"{name}: η = {learning_rates[name]}, factor {1 - learning_rates[name] * curvature:.1f}"
    ax.set(xlabel="x", title=title, xlim=(-1.8, 1.8), ylim=(-0.1, 3))
axes[0].set_ylabel("f(x)")
plt.show()

# %% [markdown]
# Every walk starts at the square. With a small positive factor per step it creeps down one side. At the
# factor zero it arrives in a single step. With a factor between $-1$ and $0$ it jumps from side to side
# and still arrives, because each jump is shorter than the one before: it *converges*. Below $-1$ each
# jump is longer than the one before, and the walk *diverges*. At exactly $-1$, in the table, it jumps
# between $1$ and $-1$ and comes no closer.
#
# ## Where does it break?
#
# By the factor, the best learning rate on a parabola is $1/\lambda$, and the walk diverges if
# $\lvert 1 - \eta\lambda \rvert > 1$, which means $\eta > 2/\lambda$. Is that edge sharp? We come as
# close to it as a millionth, from both sides, with three curvatures. Then we go back to the curvature $2$
# and take ten steps at each of many rates. The distance that is left should be the size of the factor to
# the tenth power.

# %%
print(f"{'curvature':20s}{'2/λ':>12s}{'just below':>12s}{'just above':>12s}")
edges = {}
for steepness in (0.1, 2.0, 30.0):
    distances = []
    for learning_rate in ((1 - 1e-6) * 2 / steepness, (1 + 1e-6) * 2 / steepness):
        point = 1.0
        for _ in range(2000):
            point = point - learning_rate * steepness * point
        distances.append(abs(point))
    edges[steepness] = distances
    print(f"{steepness:<20.1f}{2 / steepness:12.4f}{distances[0]:12.5f}{distances[1]:12.5f}")

rates = np.linspace(0.02, 1.1, 109)  # (109,)
ten_steps = [descend(parabola_slope, 1, rate, n_steps=10) for rate in rates]  # 109 times (11,)
distances_left = np.abs(ten_steps)[:, -1]  # (109, 11) -> (109,)
theory = np.abs(1 - rates * curvature) ** 10  # (109,)
np.testing.assert_allclose(distances_left, theory, rtol=1e-9, atol=1e-12)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(rates, np.maximum(distances_left, 1e-12), "o", markersize=3, label="measured")
ax.semilogy(rates, np.maximum(theory, 1e-12), color="C1", linewidth=1, label="|1 − ηλ|¹⁰")
ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)
for edge, name in ((1 / curvature, "1/λ"), (2 / curvature, "2/λ")):
    ax.axvline(edge, color="0.7", linewidth=0.8, zorder=0)
    ax.text(edge + 0.01, 1e-9, name)
ax.set(xlabel="learning rate η", ylabel="distance left after 10 steps")
ax.set_title("Distance left after ten steps at each learning rate")
ax.legend(loc="lower left")
plt.show()

# %% [markdown]
# Two thousand steps just below the edge bring the walk a little closer, and just above it a little
# further away, for all three curvatures. The figure has a logarithmic axis (and the exact zero at
# $1/\lambda$ is drawn at the bottom). Half the best rate and one and a half times the best rate do
# equally well: their factors are $\frac12$ and $-\frac12$, and only the size of the factor counts for the
# distance. In practice nobody knows $\lambda$, so one tries rates, and a loss that grows from step to
# step is the sign of a rate past the edge.
#
# ## More than one valley
#
# Most functions are no parabolas. Here is one with two valleys,
# $f(x) = \frac14 x^4 - \frac12 x^2 + \frac1{10} x$. We start from many points along the axis. Do all
# walks end in the deeper valley? And does the factor still say anything?


# %%
def two_valleys(x):
    return x**4 / 4 - x**2 / 2 + 0.1 * x


def two_valleys_slope(x):
    return x**3 - x + 0.1


def two_valleys_curvature(x):
    return 3 * x**2 - 1


starts = np.linspace(-1.8, 1.8, 181)  # (181,)
ends = descend(two_valleys_slope, starts, 0.1, n_steps=300)[-1]  # (181,): all the walks at once
bottoms = np.unique(ends.round(6))  # (2,)
watershed = starts[ends > 0].min()

measured_factors = []
print(f"{'bottom':20s}{'height':>12s}{'curvature':>12s}{'1 − ηλ':>12s}{'measured':>12s}")
for bottom in bottoms:
    bottom = descend(two_valleys_slope, bottom, 0.1, n_steps=300)[-1]  # to the last digit
    walk = descend(two_valleys_slope, bottom + 0.01, 0.1, n_steps=10)  # (11,): starts close by
    measured_factors.append((walk[-1] - bottom) / (walk[-2] - bottom))
    factor = 1 - 0.1 * two_valleys_curvature(bottom)
    print(f"{bottom:<20.4f}{two_valleys(bottom):12.4f}{two_valleys_curvature(bottom):12.4f}", end="")
    print(f"{factor:12.4f}{measured_factors[-1]:12.4f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
x = np.linspace(-1.8, 1.8, 300)  # (300,)
ax.plot(x, two_valleys(x))
for start, marker, color in ((-1.6, "o", "C1"), (0.05, "^", "C2"), (0.2, "s", "C3")):
    walk = descend(two_valleys_slope, start, 0.1, n_steps=60)  # (61,)
    ax.plot(walk, two_valleys(walk), f"{marker}-", color=color, markersize=4, label=f"from {start}")
ax.axvline(watershed, color="0.7", linewidth=0.8, zorder=0)
ax.text(watershed + 0.03, 0.5, "watershed")
ax.set(xlabel="x", ylabel="f(x)", title="At this rate each walk ends in the valley it starts in")
ax.legend(loc="upper center")
plt.show()

# %% [markdown]
# The walk knows only the slope where it stands. With steps as short as these it cannot leap over a hill,
# so it ends in the valley in which it starts: a *local minimum*, which need not be the deepest one, the
# *global minimum*. Two starts close to the border between the valleys (the watershed in the figure), on
# either side of it, end far apart. The table shows that the factor is still at work. Near its bottom each
# valley looks like a parabola, and the measured factor is $1 - \eta\lambda$ with the curvature
# $\lambda = f''$ at that bottom. So the narrower valley allows only a smaller rate.
#
# ## A line through real penguins
#
# With two parameters nothing in `descend` changes: the point is the pair $(w, b)$, and the slope becomes
# the gradient. We fit a line that guesses a bird's mass from its flipper, counted from 19 cm, by walking
# on the loss map of lesson 2.4.

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

flipper = measurements[:, 0] / 10 - 19  # (n,): centimetres beyond 19
mass = measurements[:, 1] / 1000  # (n,): kilograms


# %%
def mse(parameters, x, y):
    """Mean squared error of the line w·x + b on x, y (n,); raises ValueError if their shapes differ."""
    if x.shape != y.shape:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    w, b = parameters
    return np.mean((w * x + b - y) ** 2)


def mse_gradient(parameters, x, y):
    """Gradient of `mse`, (2,): its slopes along w and along b (2.4); raises ValueError as `mse` does."""
    if x.shape != y.shape:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    w, b = parameters
    error = w * x + b - y  # (n,)
    return 2 * np.array([np.mean(error * x), np.mean(error)])


# %% [markdown]
# When is the walk at its end? At the lowest point the gradient is zero, but a walk comes closer and
# closer without reaching it. So we need a *stopping rule*, and the usual one is to stop when the gradient
# is shorter than some small *tolerance*. A rate past the edge would never stop by this rule. Therefore
# the function also raises an error if the gradient grows a thousandfold, or if the steps run out.


# %%
def fit(x, y, start, learning_rate, tolerance=1e-6, max_steps=100_000):
    """Walk from `start` until the gradient is shorter than `tolerance`; the path (n_steps + 1, 2).

    Raises ValueError if the gradient grows a thousandfold, if `max_steps` do not suffice, or at a rate that
    is not positive.
    """
    if not learning_rate > 0:
        raise ValueError(f"a rate must be positive, got {learning_rate}")
    point = np.array(start, dtype=float)
    path = [point]
    limit = 1000 * np.linalg.norm(mse_gradient(point, x, y))
    for _ in range(max_steps + 1):
        slopes = mse_gradient(point, x, y)  # (2,)
        length = np.linalg.norm(slopes)
        if length < tolerance:
            return np.array(path)
        if length > limit:
            raise ValueError(f"a rate of {learning_rate:.4g} diverges: stopped after {len(path) - 1} steps")
        point = point - learning_rate * slopes
        path.append(point)
    raise ValueError(f"a rate of {learning_rate:.4g} has not arrived after {max_steps} steps")


# %% [markdown]
# How many steps will it take from the guess "every bird weighs 4.5 kg", $(w, b) = (0, 4.5)$? The answer
# can be checked, because for a line algebra finds the lowest point directly: the line with the smallest
# mean squared error is called the *least-squares* line, and NumPy has a function for it.

# %%
guess = np.array([0.0, 4.5])
line_path = fit(flipper, mass, guess, learning_rate=0.1)  # (n_steps + 1, 2)
columns = np.stack([flipper, np.ones(len(flipper))], axis=1)  # (n, 2): columns @ (w, b) are the guesses
least_squares = np.linalg.lstsq(columns, mass)[0]  # (2,)
print(f"{len(line_path) - 1} steps to w {line_path[-1, 0]:.6f}, b {line_path[-1, 1]:.6f}")
print(f"least squares: w {least_squares[0]:.6f}, b {least_squares[1]:.6f}")

# %%
ws = np.linspace(-0.5, 1.5, 61)  # (61,)
bs = np.linspace(2.9, 4.9, 61)  # (61,)
heights = np.array([[mse((w, b), flipper, mass) for w in ws] for b in bs])  # (61, 61)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.contour(ws, bs, heights, levels=np.arange(0.2, 4, 0.2), cmap="viridis", linewidths=0.8)
left.plot(line_path[:, 0], line_path[:, 1], "o-", color="C1", markersize=3, linewidth=1)
left.plot(*least_squares, "*", color="black", markersize=12, label="least squares")
left.set(xlabel="w (kg per cm)", ylabel="b (kg)", aspect="equal")
left.set_title("The walk on the loss map…")
left.legend(loc="upper right", fontsize=8)
right.plot(flipper, mass, "o", color="C0", markersize=3)
for n_steps, style in ((0, ":"), (1, "-."), (5, "--"), (len(line_path) - 1, "-")):
    w, b = line_path[n_steps]
    right.axline((0, b), slope=w, color="C1", linestyle=style, label=f"after {n_steps} steps")
right.set(xlabel="flipper beyond 19 cm (cm)", ylabel="mass (kg)", title="…is a line that turns into place")
right.legend(fontsize=8, loc="upper left")
plt.show()

# %% [markdown]
# After five steps the line has turned about half of the way. On the map the walk first crosses the
# contours towards the floor of the valley, then it turns and follows the floor with ever shorter steps,
# and most of its steps are spent there. In the end it agrees with least squares.
#
# ## Which learning rate for the penguins?
#
# On a parabola the best rate was $1/\lambda$ and the edge $2/\lambda$. The loss map is a valley in two
# directions, narrow across and long along the floor, so which $\lambda$ counts? We measure the number of
# steps at several rates.

# %%
steps_needed = {}
print(f"{'learning rate':20s}{'steps':>12s}")
for learning_rate in (0.01, 0.03, 0.1, 0.2, 0.25, 0.27, 0.28, 0.3):
    try:
        steps_needed[learning_rate] = len(fit(flipper, mass, guess, learning_rate)) - 1
        print(f"{learning_rate:<20}{steps_needed[learning_rate]:12d}")
    except ValueError as error:
        print(f"{learning_rate:<20}{error}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
lowest_loss = mse(least_squares, flipper, mass)
for learning_rate, style in ((0.03, "-"), (0.2, "--"), (0.27, "-."), (0.28, ":")):
    path = descend(lambda point: mse_gradient(point, flipper, mass), guess, learning_rate, n_steps=60)
    losses = [mse(point, flipper, mass) - lowest_loss for point in path]  # 61 numbers
    ax.semilogy(losses, style, label=f"η = {learning_rate}")
ax.set(
    xlabel="step", ylabel="loss above the lowest (kg²)", title="Loss along the walk at four learning rates"
)
ax.legend()
plt.show()

# %% [markdown]
# From $0.01$ to $0.2$ a larger rate means fewer steps, nearly in proportion. Then the number rises again,
# and between $0.27$ and $0.28$ the walk begins to diverge. So there is an edge, as for the parabola. On a
# logarithmic axis the curves become straight lines after a few steps, which means one factor per step,
# again as for the parabola. Yet even at the best of these rates the walk needs dozens of steps, where a
# parabola needed one. The reason is that the map has more than one curvature. Lesson 2.6 computes them,
# predicts the edge, and shows what makes the walk shorter.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert paths["1/λ"][1] == 0, "at the rate 1/λ the walk on a parabola arrives in one step"
assert abs(paths["large"][-1]) < 1 < abs(paths["too large"][-1]), "below 2/λ it converges, above not"
assert len(edges) == 3, "three curvatures were tried"
for below, above in edges.values():
    assert below < 1 < above, "the edge 2/λ is sharp to a millionth"
assert abs(rates[distances_left.argmin()] - 1 / curvature) < 0.006, "the best rate is 1/λ"
assert len(bottoms) == 2, "the walks end in two different valleys"
assert np.all(np.diff(ends.round(6)) >= 0), "one watershed parts the starts"
predicted_factors = 1 - 0.1 * two_valleys_curvature(bottoms)
np.testing.assert_allclose(measured_factors, predicted_factors, atol=0.01, err_msg="near a bottom: 1 − ηλ")
np.testing.assert_allclose(line_path[-1], least_squares, atol=1e-5, err_msg="it ends at least squares")
assert 0.4 < line_path[5, 0] / line_path[-1, 0] < 0.7, "after five steps it has turned half way"
assert steps_needed[0.01] > steps_needed[0.1] > steps_needed[0.2], "up to 0.2 larger rates need fewer steps"
assert steps_needed[0.2] < steps_needed[0.27], "close to the edge a larger rate means more steps"
assert 0.27 in steps_needed and 0.28 not in steps_needed, "between 0.27 and 0.28 the walk begins to diverge"
assert min(steps_needed.values()) > 24, "even at the best of these rates it takes dozens of steps"

# %% [markdown]
# ## What to remember
#
# - Gradient descent repeats one step: $x \leftarrow x - \eta \nabla f(x)$, where $\eta$ is the learning
#   rate.
# - On a parabola of curvature $\lambda$ each step multiplies the distance from the bottom by
#   $1 - \eta\lambda$. The best rate is $1/\lambda$, and past $2/\lambda$ the walk diverges.
# - The walk ends in a local minimum, usually that of the valley in which it starts.
# - A walk needs a stopping rule, such as a gradient shorter than a tolerance. If the loss grows from step
#   to step, the rate is too large.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Add `"three quarters": 0.75` to `learning_rates`. What is its factor, and which other rate shrinks
#    the distance as fast? Look at the first table.
# 2. Raise the rate on the two valleys from `0.1` to `0.8` where `ends` is computed:
#    `descend(two_valleys_slope, starts, 0.8, n_steps=300)`. Does each start still end in its own valley?
#    Look at the claims.
# 3. In a blank cell at the end: fit the line to the bill instead, mass against bill length in centimetres
#    beyond 4.4, from the same guess. (The column is called `bill_length_mm`, so you have to load it
#    first.) Find a rate at which it arrives, and compare the result with `np.linalg.lstsq`.
#
# ## Sources
#
# - A.-L. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847: the
#   method.
# - S. Boyd, L. Vandenberghe, _Convex Optimization_, 2004, section 9.3: gradient descent and its
#   convergence.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
