# %% [markdown]
# # 2.5 Gradient descent: walking downhill, and how long a stride may be
#
# In fog, the way down is the way against the slope: feel it, take a step, feel again. This is how every
# network in this course learns. One question decides whether it works. How long is a step? Too short, and
# the night falls before you arrive; too long, and you leap over the valley and land higher than you
# stood.
#
# **You will build** the walk in one dimension and in many, the exact stride at which it breaks, and a
# line through real penguins. **You need** the gradient, the Hessian and its eigenvalues (2.4).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# The valley is the parabola $f(x) = \tfrac12 \lambda x^2$ with curvature $\lambda = 2$. Its slope is
# $\lambda x$. Start at $x = 8$ and go against the slope with a *learning rate* of $\eta = \tfrac14$: the
# first step is $\tfrac14 \cdot 16 = 4$, to $4$. The next slope is $8$, the step $2$, and so on:
# $8, 4, 2, 1$. Every step halves what is left. In general
#
# $$x \leftarrow x - \eta\, f'(x) = x - \eta\lambda x = (1 - \eta\lambda)\, x .$$


# %%
def descend(slope, start, learning_rate, n_steps):
    """The places visited: `start`, then n_steps steps against `slope`, as an array (n_steps + 1, …).

    slope: a function from a place to the gradient there; start: a number or an array.
    """
    place = np.asarray(start, dtype=float)
    path = [place]
    for _ in range(n_steps):
        place = place - learning_rate * slope(place)
        path.append(place)
    return np.array(path)


curvature = 2.0


def parabola(x):
    return curvature * x * x / 2


def parabola_slope(x):
    return curvature * x


path = descend(parabola_slope, start=8.0, learning_rate=0.25, n_steps=3)
print(path)
assert path.tolist() == [8, 4, 2, 1]

# %% [markdown]
# ## Five strides
#
# One step multiplies the distance from the bottom by $1 - \eta\lambda$. Everything follows from this
# *factor*. Between $0$ and $1$ the walk creeps down one side; at $0$ it arrives in a single step; between
# $-1$ and $0$ it jumps from side to side and still arrives; at $-1$ it jumps for ever; beyond, every jump
# is wider than the last.

# %%
strides = {"too small": 0.05, "exact: 1/λ": 0.5, "oscillating": 0.9, "for ever: 2/λ": 1.0, "diverging": 1.05}
print(f"{'stride':20s}{'rate':>8s}{'1 − ηλ':>10s}{'measured':>10s}{'after 10 steps':>18s}")
paths = {}
for name, learning_rate in strides.items():
    paths[name] = descend(parabola_slope, 1.0, learning_rate, n_steps=10)
    factor = paths[name][1] / paths[name][0]
    print(f"{name:20s}{learning_rate:8.2f}{1 - learning_rate * curvature:10.2f}", end="")
    print(f"{factor:10.2f}{paths[name][-1]:18.3g}")
    np.testing.assert_allclose(
        paths[name], (1 - learning_rate * curvature) ** np.arange(11), rtol=1e-10, atol=1e-12
    )
assert paths["exact: 1/λ"][1] == 0

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
x = np.linspace(-1.7, 1.7, 200)  # (200,)
for ax, name in zip(axes, ("too small", "exact: 1/λ", "oscillating", "diverging")):
    ax.plot(x, parabola(x), color="C0")
    ax.plot(paths[name], parabola(paths[name]), "o-", color="C1", markersize=4, linewidth=1)
    ax.plot(1, parabola(1), "s", color="0.2", fillstyle="none", markersize=9)
    ax.set(xlabel="x", title=f"{name}, η = {strides[name]}", xlim=(-1.8, 1.8), ylim=(-0.1, 3))
axes[0].set_ylabel("f(x)")
fig.suptitle("From the square: creeping, arriving at once, jumping across, flying off")
plt.show()

# %% [markdown]
# ## The two thresholds
#
# So the best rate for a parabola is $1/\lambda$, and the walk diverges exactly where
# $|1 - \eta\lambda| > 1$, that is past $2/\lambda$. We come as close to that edge as a millionth, from
# both sides, with several curvatures.

# %%
print(f"{'curvature':>12s}{'2/λ':>12s}{'a hair below':>14s}{'a hair above':>14s}")
for power in (0.1, 2.0, 30.0):
    ends = [
        descend(lambda x, power=power: power * x, 1.0, closeness * 2 / power, n_steps=2000)[-1]
        for closeness in (1 - 1e-6, 1 + 1e-6)
    ]
    print(f"{power:12.1f}{2 / power:12.4f}{abs(ends[0]):14.5f}{abs(ends[1]):14.5f}")
    assert abs(ends[0]) < 1 < abs(ends[1])
    np.testing.assert_allclose(np.abs(ends), [(1 - 2e-6) ** 2000, (1 + 2e-6) ** 2000], rtol=1e-6)

# %% [markdown]
# Now the same walk at many rates: what is left is a power of the factor. On the logarithmic axis
# everything below $10^{-12}$ is drawn there, the exact zero at $1/\lambda$ included.

# %%
rates = np.linspace(0.02, 1.1, 109)  # (109,)
left_over = np.array([abs(descend(parabola_slope, 1.0, rate, n_steps=10)[-1]) for rate in rates])  # (109,)
theory = np.abs(1 - rates * curvature) ** 10  # (109,)
np.testing.assert_allclose(left_over, theory, rtol=1e-9, atol=1e-12)
assert abs(rates[left_over.argmin()] - 1 / curvature) < 0.006

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(rates, np.maximum(left_over, 1e-12), "o", markersize=3, label="walked")
ax.semilogy(rates, np.maximum(theory, 1e-12), color="C1", linewidth=1, label="(1 − ηλ)¹⁰")
ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)
for edge, name in ((1 / curvature, "1/λ"), (2 / curvature, "2/λ")):
    ax.axvline(edge, color="0.7", linewidth=0.8, zorder=0)
    ax.text(edge + 0.01, 1e-9, name)
ax.set(xlabel="learning rate η", ylabel="distance left after 10 steps", title="Best at 1/λ, lost past 2/λ")
ax.legend(loc="lower left")
plt.show()

# %% [markdown]
# ## The start decides which valley
#
# A landscape may have several valleys. The walk sees only the slope under its feet, so it ends in the
# valley it started above: a *local minimum*, not always the deepest one, the *global minimum*. In
# between, two starts a hair apart go different ways.


# %%
def two_valleys(x):
    return x**4 / 4 - x**2 / 2 + 0.1 * x


def two_valleys_slope(x):
    return x**3 - x + 0.1


starts = np.linspace(-1.8, 1.8, 181)  # (181,)
ends = np.array([descend(two_valleys_slope, start, 0.1, n_steps=300)[-1] for start in starts])  # (181,)
valleys = np.unique(ends.round(4))
print(f"{len(starts)} starts end in {valleys}, at heights {two_valleys(valleys).round(3)}")
assert len(valleys) == 2 and np.all(np.abs(two_valleys_slope(valleys)) < 1e-3)
assert np.all(np.diff(ends.round(4)) >= 0)  # one watershed: all starts left of it go to the left valley

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
x = np.linspace(-1.8, 1.8, 300)  # (300,)
ax.plot(x, two_valleys(x))
for start, marker, style in ((-1.6, "o", "C1"), (0.05, "^", "C2"), (0.2, "s", "C3")):
    walk = descend(two_valleys_slope, start, 0.1, n_steps=60)  # (61,)
    ax.plot(walk, two_valleys(walk), f"{marker}-", color=style, markersize=4, label=f"from {start}")
watershed = starts[ends > 0].min()
ax.axvline(watershed, color="0.7", linewidth=0.8, zorder=0)
ax.text(watershed + 0.03, 0.5, "watershed")
ax.set(xlabel="x", ylabel="f(x)", title="Each start ends in the valley below it")
ax.legend(loc="upper center")
plt.show()

# %% [markdown]
# ## Two dimensions: a stretched valley
#
# In two dimensions nothing in `descend` changes, only the place is an arrow. Take a valley with curvature
# $1$ along one axis and $20$ across, its Hessian a diagonal table. Along every eigenvector the walk is
# the one-dimensional walk of above, each with its own factor $1 - \eta\lambda_i$, and one learning rate
# must serve both: the steep direction forbids more than $2 / 20$, and the flat one would like twenty
# times the rate.
#
# $$x_i \leftarrow (1 - \eta\lambda_i)\, x_i \ \text{ for each } i, \qquad
#   \text{safe: } \eta < 2 / \lambda_{\max} .$$

# %%
hessian = np.diag([1.0, 20.0])  # (2, 2)


def valley_slope(place):
    return hessian @ place  # (2, 2) @ (2,) -> (2,)


start = np.array([10.0, 1.0])
walks = {rate: descend(valley_slope, start, rate, n_steps=25) for rate in (0.02, 0.09, 0.101)}  # each (26, 2)
for rate, walk in walks.items():
    factors = 1 - rate * np.diag(hessian)  # (2,)
    print(f"η {rate}: factors {factors.round(3)}, after {len(walk) - 1} steps at {walk[-1].round(3)}")
    np.testing.assert_allclose(walk, start * factors ** np.arange(26)[:, None], rtol=1e-9)  # (26, 2)
assert abs(walks[0.101][-1, 1]) > 1 > abs(walks[0.09][-1, 1])

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
grid = np.stack(np.meshgrid(np.linspace(-1, 11, 121), np.linspace(-2, 2, 81)))  # (2, 81, 121)
height = (grid[0] ** 2 + 20 * grid[1] ** 2) / 2  # (81, 121)
for ax, (rate, walk) in zip(axes, walks.items()):
    ax.contour(*grid, height, levels=12, colors="0.8", linewidths=0.8)
    ax.plot(*walk.T, "o-", color="C1", markersize=3, linewidth=1)
    ax.plot(0, 0, "k+", markersize=12)
    ax.set(
        xlabel="flat direction",
        title=f"η = {rate}, factors {1 - rate:.2f} and {1 - 20 * rate:.2f}",
        ylim=(-2, 2),
    )
axes[0].set_ylabel("steep direction")
fig.suptitle("The steep direction limits the step, and the flat one waits")
plt.show()

# %% [markdown]
# How long does it wait? At the best compromise both factors are equally far from zero, $1 -
# \eta\lambda_{\min} = -(1 - \eta\lambda_{\max})$. That gives $\eta = 2/(\lambda_{\min} +
# \lambda_{\max})$, and what is left of a step's distance depends on the ratio
# $\kappa = \lambda_{\max} / \lambda_{\min}$ alone, the *condition number*:
#
# $$\text{factor} = \frac{\kappa - 1}{\kappa + 1} .$$


# %%
def steps_to(tolerance, curvatures, learning_rate):
    """Steps until the distance from the bottom, from (1, …, 1), is below `tolerance` times what it was.

    curvatures: the eigenvalues of the Hessian. Raises ValueError where the walk does not arrive.
    """
    factors = 1 - learning_rate * np.asarray(curvatures, dtype=float)
    if np.abs(factors).max() >= 1:
        raise ValueError(f"a rate of {learning_rate} does not converge on curvatures {curvatures}")
    place = np.ones(len(factors))
    for n_steps in range(100_000):
        if np.linalg.norm(place) <= tolerance * np.sqrt(len(factors)):
            return n_steps
        place = factors * place
    raise ValueError(f"a rate of {learning_rate} is too slow on curvatures {curvatures}")


print(f"{'κ':>8s}{'factor':>12s}{'steps to one in a million':>28s}")
needed = {}
for kappa in (1, 10, 100, 1000):
    needed[kappa] = steps_to(1e-6, [1, kappa], learning_rate=2 / (1 + kappa))
    print(f"{kappa:8d}{(kappa - 1) / (kappa + 1):12.4f}{needed[kappa]:28d}")
assert needed[1] == 1 and 9 < needed[1000] / needed[100] < 11  # ten times as stretched, ten times as long

# %% [markdown]
# ## A line through real penguins
#
# Now the landscape of lesson 2.4: the mean squared error of a line that guesses a bird's mass $y$ from
# its flipper $x$. It is a quadratic in $w$ and $b$, so it has one bowl, one Hessian, and exact
# thresholds.
#
# $$\nabla L = \frac2n \sum_i (w x_i + b - y_i)\,(x_i, 1), \qquad
#   H = \frac2n \sum_i \begin{pmatrix} x_i^2 & x_i \\ x_i & 1 \end{pmatrix} .$$

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

flipper, mass = measurements[:, 0] / 100, measurements[:, 1] / 1000  # decimetres and kilograms, each (n,)


# %%
def mse(parameters, x, y):
    """Mean squared error of the line w·x + b on x, y (n,); raises ValueError where their shapes differ."""
    if x.shape != y.shape:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    w, b = parameters
    return np.mean((w * x + b - y) ** 2)


def mse_slope(parameters, x, y):
    """Gradient of `mse`, (2,): along w and along b."""
    w, b = parameters
    residual = w * x + b - y  # (n,)
    return 2 * np.array([np.mean(residual * x), np.mean(residual)])


def mse_hessian(x):
    """Hessian of `mse`, (2, 2): it depends on the inputs only."""
    columns = np.stack([x, np.ones_like(x)])  # (2, n)
    return 2 * columns @ columns.T / len(x)  # (2, n) @ (n, 2) -> (2, 2)


# %% [markdown]
# Central differences agree with both. Then ask the eigenvalues: how far from round is the bowl?
# The flippers are all near two decimetres, so raising $w$ is almost the same as raising $b$, and along
# the difference of the two hardly anything changes.

# %%
place, nudge = np.array([0.3, -0.2]), 1e-5
for axis, step in enumerate(nudge * np.eye(2)):
    ahead, behind = place + step, place - step
    rise = (mse(ahead, flipper, mass) - mse(behind, flipper, mass)) / (2 * nudge)
    turn = (mse_slope(ahead, flipper, mass) - mse_slope(behind, flipper, mass)) / (2 * nudge)  # (2,)
    np.testing.assert_allclose(rise, mse_slope(place, flipper, mass)[axis], rtol=1e-7)
    np.testing.assert_allclose(turn, mse_hessian(flipper)[axis], rtol=1e-7)

scaled = (flipper - flipper.mean()) / flipper.std()  # (n,): mean zero, spread one
print(f"{'flipper':20s}{'eigenvalues':>22s}{'κ':>10s}{'largest safe rate':>20s}")
kappas = {}
for name, x in (("in decimetres", flipper), ("scaled", scaled)):
    low, high = np.linalg.eigvalsh(mse_hessian(x))
    kappas[name] = high / low
    print(f"{name:20s}{low:11.4f}{high:11.4f}{kappas[name]:10.1f}{2 / high:20.3f}")
assert kappas["in decimetres"] > 100
np.testing.assert_allclose(kappas["scaled"], 1, rtol=1e-10)

# %% [markdown]
# Scaling the input, minus its mean and divided by its spread (`std`, lesson 2.8), makes the bowl
# perfectly round. The model can still draw the same lines, but the walk to the best one is short. Each
# walk gets four fifths of the best rate for its own bowl (the best itself would cross the round one in a
# single step, and show nothing). It stops when the gradient has almost vanished: stopping needs a rule,
# and a small gradient says that the ground is level.


# %%
def fit(x, y, learning_rate, tolerance=1e-6, most=100_000):
    """Walk from (0, 0) until the gradient is shorter than `tolerance`; every place visited, (n_steps + 1, 2).

    Raises ValueError where the gradient grows a thousandfold or `most` steps do not suffice.
    """
    parameters, path = np.zeros(2), []
    lost = 1000 * np.linalg.norm(mse_slope(parameters, x, y))
    while len(path) <= most:
        path.append(parameters)
        slope = mse_slope(parameters, x, y)
        if np.linalg.norm(slope) < tolerance:
            return np.array(path)
        if np.linalg.norm(slope) > lost:
            raise ValueError(f"a rate of {learning_rate:.3f} diverges: lost after {len(path) - 1} steps")
        parameters = parameters - learning_rate * slope
    raise ValueError(f"a rate of {learning_rate:.3f} has not arrived after {most} steps")


fits = {}
for name, x in (("in decimetres", flipper), ("scaled", scaled)):
    low, high = np.linalg.eigvalsh(mse_hessian(x))
    fits[name] = fit(x, mass, learning_rate=0.8 * 2 / (low + high))
    print(f"{name:20s}{len(fits[name]) - 1:8,d} steps   last loss {mse(fits[name][-1], x, mass):.6f}")
assert len(fits["in decimetres"]) > 30 * len(fits["scaled"])

# %% [markdown]
# The answer key is *least squares*, the line that algebra finds directly. Both walks must end there, the
# scaled one after its line is read in decimetres again.

# %%
exact = np.linalg.lstsq(np.column_stack([flipper, np.ones_like(flipper)]), mass)[0]  # (2,)
w, b = fits["scaled"][-1]
back = np.array([w / flipper.std(), b - w * flipper.mean() / flipper.std()])  # (2,)
for name, (slope, offset) in (
    ("least squares", exact),
    ("in decimetres", fits["in decimetres"][-1]),
    ("scaled", back),
):
    print(f"{name:20s}{slope:12.6f} kg a decimetre{offset:12.6f} kg")
np.testing.assert_allclose(fits["in decimetres"][-1], exact, rtol=1e-4)
np.testing.assert_allclose(back, exact, rtol=1e-5)

# %% [markdown]
# And the threshold? A hair past $2/\lambda_{\max}$ the fit of real birds flies off, as the parabola did;
# a hair below it arrives.

# %%
largest = np.linalg.eigvalsh(mse_hessian(scaled)).max()
arrived = fit(scaled, mass, learning_rate=0.99 * 2 / largest)
print(f"just below 2/λ: {len(arrived) - 1} steps")
try:
    fit(scaled, mass, learning_rate=1.01 * 2 / largest)
except ValueError as error:
    print(f"just above: {error}")
    diverged = True
assert diverged

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(flipper, mass, "o", markersize=3, label="birds")
ends = np.array([flipper.min(), flipper.max()])  # (2,)
for count, style in ((0, ":"), (1, "-."), (2, "--"), (len(fits["scaled"]) - 1, "-")):
    w, b = fits["scaled"][count]
    left.plot(
        ends, w * (ends - flipper.mean()) / flipper.std() + b, style, color="C1", label=f"after {count} steps"
    )
left.set(xlabel="flipper (dm)", ylabel="mass (kg)", title="The line comes up in a few steps")
left.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.08))
for (name, walk), x, style in zip(fits.items(), (flipper, scaled), ("--", "-")):
    excess = [mse(place, x, mass) - mse(exact, flipper, mass) for place in walk]
    right.loglog(np.arange(1, len(walk) + 1), np.maximum(excess, 1e-14), style, label=name)
right.set(
    xlabel="steps + 1", ylabel="loss above the least (kg²)", title="A round bowl saves most of the walk"
)
right.legend()
plt.show()

# %% [markdown]
# ## What to remember
#
# - A step goes against the gradient, and the learning rate scales it: $x \leftarrow x - \eta \nabla f$.
# - On a parabola each step multiplies the distance by $1 - \eta\lambda$. Best is $1/\lambda$, past
#   $2/\lambda$ it diverges.
# - With many directions the steepest sets the limit and the flattest the waiting time; their ratio
#   $\kappa$ counts.
# - Scale the inputs: it makes the bowl rounder. And know when to stop.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. With `learning_rate=0.75` on the parabola, what is the factor, and which other rate shrinks as fast?
# 2. Measure flippers in metres, `measurements[:, 0] / 1000`. Does $\kappa$ rise or fall? What about
#    millimetres?
# 3. Start `two_valleys` exactly on the watershed, where the slope is zero. Where does the walk end?
#
# ## Sources
#
# - A.-L. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847: the
#   method.
# - S. Boyd, L. Vandenberghe, *Convex Optimization*, 2004, section 9.3: condition number and rate.
# - G. Goh, "Why momentum really works", *Distill*, 2017: the walk along each eigenvector.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
