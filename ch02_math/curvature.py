# %% [markdown]
# # 2.6 Curvature: what limits the learning rate in several directions
#
# In lesson 2.5 a walk on a parabola broke at a learning rate that we could compute from its curvature,
# and the best rate took us to the bottom in one step. On the loss map of the penguins the walk broke,
# too, but we had not predicted where, and even a good rate took dozens of steps. The reason is that the
# map is narrow across its valley and long along it, so that it has a different curvature in each
# direction. This lesson finds the two that count, the largest and the smallest. People who train large
# networks watch the largest one, because it decides which learning rates are safe.
#
# **You will build** the table of all curvatures, the *Hessian matrix*, find its two special directions,
# predict the learning rate at which the penguins' walk breaks, see what decides the number of steps, and
# tell valleys from peaks and saddles. **You need** a matrix as a machine (2.1), gradients (2.4) and
# gradient descent (2.5).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# With one number, curvature says how fast the slope changes (2.5). With two numbers there are two slopes,
# those of the gradient, and each can change along two axes. That makes four numbers:
#
# $$\begin{aligned}
#   f(x, y) &= \tfrac12 (3x^2 + 2xy + 3y^2) \\
#   \nabla f &= (3x + y,\; x + 3y) \\
#   H &= \begin{pmatrix} 3 & 1 \\ 1 & 3 \end{pmatrix}
# \end{aligned}$$
#
# The first row says how the slope along $x$ changes, by $3$ for a step of one along $x$ and by $1$ for a
# step of one along $y$. The second row says the same of the slope along $y$. On a step $s$ the gradient
# changes by $Hs$. We try three steps:
#
# $$\begin{aligned}
#   H\,(1, 0) &= (3, 1) \\
#   H\,(1, 1) &= (4, 4) = 4 \cdot (1, 1) \\
#   H\,(1, -1) &= (2, -2) = 2 \cdot (1, -1)
# \end{aligned}$$
#
# On the first step the gradient changes in another direction than that of the step, and so it is for most
# steps. For the other two it changes along the step itself, by $4$ times the step in one case and $2$
# times in the other. Such a direction is called an *eigenvector* of the matrix, and the factor its
# *eigenvalue*.
#
# ## The Hessian
#
# To measure the same, we take a short step along an axis, forward and back, and see how the gradient
# changes, which gives one column for each axis.


# %%
def gradient(f, point, h=1e-5):
    """Gradient of f at `point` (n,), measured by central differences (2.4): (n,)."""
    steps = h * np.eye(len(point))  # (n, n): row i is a short step along axis i
    return np.array([(f(point + step) - f(point - step)) / (2 * h) for step in steps])


def hessian(f, point, h=1e-4):
    """Hessian (n, n) of f at `point` (n,): column j is the change of the gradient per step along axis j.

    The step is longer than in `gradient`, because measured gradients have larger rounding errors than f.
    """
    steps = h * np.eye(len(point))  # (n, n)
    columns = [(gradient(f, point + step) - gradient(f, point - step)) / (2 * h) for step in steps]
    return np.stack(columns, axis=1)  # n times (n,) -> (n, n)


def quadratic(point):
    """The function on paper; point: (2,), or (2, …) for many points at once."""
    x, y = point
    return (3 * x * x + 2 * x * y + 3 * y * y) / 2


paper_hessian = hessian(quadratic, np.array([0.4, -0.7])).round(4)  # (2, 2); right to about six digits
print(paper_hessian)

# %% [markdown]
# The matrix is equal to its transpose, and that is no accident. For smooth functions the change of the
# slope along $x$ on a step along $y$ is the same as the change of the slope along $y$ on a step along
# $x$. A matrix with this property is called *symmetric*.
#
# ## The curvature in every direction
#
# How strongly does $f$ bend along a direction $d$ of length one? On a step along $d$ the gradient changes
# by $Hd$, and the slope along $d$ is the dot product of the gradient with $d$ (2.4). So this slope
# changes by $d \cdot Hd$, which is the curvature along $d$. Which directions have the largest and the
# smallest? We compute it for all of them, and `np.linalg.eigh`, NumPy's function for symmetric matrices,
# finds the eigenvectors.

# %%
eigenvalues, eigenvectors = np.linalg.eigh(paper_hessian)  # (2,) from small to large; (2, 2): in columns
degrees = np.arange(181)  # (181,)
radians = np.radians(degrees)  # (181,)
directions = np.stack([np.cos(radians), np.sin(radians)], axis=1)  # (181, 2)
# (2,) @ (2, 2) @ (2,) -> (), for each direction
curvatures = np.array([direction @ paper_hessian @ direction for direction in directions])  # (181,)

grid = np.stack(np.meshgrid(np.linspace(-1, 1, 61), np.linspace(-1, 1, 61)))  # (2, 61, 61)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.contour(*grid, quadratic(grid), levels=10, cmap="viridis")
right.plot(degrees, curvatures, color="0.2", label="d · Hd")
for value, vector, style in zip(eigenvalues, eigenvectors.T, ("--", "-")):
    ends = np.array([-0.9 * vector, 0.9 * vector])  # (2, 2): from one end to the other
    left.plot(ends[:, 0], ends[:, 1], style, color="C1", linewidth=2, label=f"eigenvalue {value:.0f}")
    right.axhline(value, color="C1", linestyle=style, linewidth=0.8, label=f"eigenvalue {value:.0f}")
left.set(xlabel="x", ylabel="y", aspect="equal", title="Eigenvectors on the map of f")
left.legend(loc="lower right", fontsize=8)
right.set(xlabel="direction (degrees from the x axis)", ylabel="curvature", xticks=range(0, 181, 45))
right.set_title("Curvature in each direction")
right.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# The curvature is largest at 45°, the direction of $(1, 1)$, and smallest at 135°, the direction of
# $(1, -1)$, and these two extremes are the eigenvalues. On the map the two eigenvectors stand at a right
# angle, and they are the axes of the ellipses that the contours form: along the short axis the ground
# bends strongly, along the long axis weakly. For a symmetric matrix of any size it is the same: there are
# as many eigenvectors as axes, all at right angles, and the eigenvalues range from the smallest to the
# largest curvature.
#
# ## The Hessian of the penguins
#
# Now the loss of lesson 2.5, a line that guesses a bird's mass $y_i$ from its flipper $x_i$. Its gradient
# is the average of $2 e_i \,(x_i, 1)$ with the error $e_i = w x_i + b - y_i$. If $w$ grows by one, $e_i$
# grows by $x_i$, and if $b$ grows by one, $e_i$ grows by $1$. So
#
# $$H = \frac1n \sum_{i=1}^{n} \begin{pmatrix} 2 x_i^2 & 2 x_i \\ 2 x_i & 2 \end{pmatrix} .$$
#
# Neither $w$ nor $b$ occurs in it, so the curvature is the same all over the map.

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
    """Mean squared error of the line w·x + b on x, y (n,); parameters: (w, b)."""
    w, b = parameters
    return np.mean((w * x + b - y) ** 2)


def mse_gradient(parameters, x, y):
    """Gradient of `mse`, (2,)."""
    w, b = parameters
    error = w * x + b - y  # (n,)
    return 2 * np.array([np.mean(error * x), np.mean(error)])


def mse_hessian(x):
    """Hessian of `mse`, (2, 2): it depends on the inputs only."""
    return 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1.0]])


guess = np.array([0.0, 4.5])  # "every bird weighs 4.5 kg"
penguin_hessian = mse_hessian(flipper)  # (2, 2)
measured_hessian = hessian(lambda parameters: mse(parameters, flipper, mass), guess)
np.testing.assert_allclose(penguin_hessian, measured_hessian, rtol=1e-5, atol=1e-6)
low, high = np.linalg.eigvalsh(penguin_hessian)  # the eigenvalues alone
print(f"curvatures from {low:.4f} to {high:.4f}, so 2 / largest = {2 / high:.4f}")

# %% [markdown]
# ## Gradient descent along the eigenvectors
#
# On a parabola each step multiplied the distance from the bottom by $1 - \eta\lambda$. Here the distance
# from the bottom is no single number but a vector, from the lowest point to the point where the walk
# stands. Every arrow in the plane is a linear combination (2.1) of the two eigenvectors $v_1$ and $v_2$,
# so we write it as $a_1 v_1 + a_2 v_2$. The gradient there is $H$ times the arrow, and $H$ multiplies
# each eigenvector by its eigenvalue. So one step gives
#
# $$\begin{aligned}
#   &a_1 v_1 + a_2 v_2 - \eta\,(\lambda_1 a_1 v_1 + \lambda_2 a_2 v_2) \\
#   &\quad = (1 - \eta\lambda_1)\, a_1 v_1 + (1 - \eta\lambda_2)\, a_2 v_2 .
# \end{aligned}$$
#
# Along each eigenvector the walk is a walk on a parabola of its own, and the two do not disturb each
# other. If that is right, the walk must break as soon as one of the factors passes $-1$, which happens
# first along the eigenvector with the largest eigenvalue. So the limit should be $2 / \lambda_{\max}$, a
# number between $0.27$ and $0.28$, as lesson 2.5 found by trying. We start from a line that is too steep
# and too high, walk at three rates, and compare each part of the distance with the power of its factor.


# %%
def descend(gradient, start, learning_rate, n_steps):
    """The points visited by gradient descent (2.5): (n_steps + 1, n)."""
    point = np.array(start, dtype=float)
    path = [point]
    for _ in range(n_steps):
        point = point - learning_rate * gradient(point)
        path.append(point)
    return np.array(path)


eigenvalues, eigenvectors = np.linalg.eigh(penguin_hessian)  # (2,), (2, 2): an eigenvector in each column
columns = np.stack([flipper, np.ones(len(flipper))], axis=1)  # (n, 2)
lowest = np.linalg.lstsq(columns, mass)[0]  # (2,)
start = np.array([1.1, 4.4])
n_steps = 12
walks = {}
for learning_rate in (0.1, 0.26, 0.285):
    walk = descend(lambda point: mse_gradient(point, flipper, mass), start, learning_rate, n_steps)
    parts = (walk - lowest) @ eigenvectors  # (13, 2) @ (2, 2) -> (13, 2): a₁ and a₂ after each step
    factors = 1 - learning_rate * eigenvalues  # (2,)
    powers = factors ** np.arange(n_steps + 1)[:, None]  # (2,) ** (13, 1) -> (13, 2)
    np.testing.assert_allclose(parts, parts[0] * powers, rtol=1e-8, atol=1e-12)
    walks[learning_rate] = walk
    print(f"η = {learning_rate}: factors {factors.round(3)}, parts {parts[0].round(3)}", end="")
    print(f" before and {parts[-1].round(3)} after {n_steps} steps")

far_walks = {}
for share in (0.999, 1.001):  # of the limit
    rate = share * 2 / eigenvalues[1]
    far_walks[share] = descend(lambda point: mse_gradient(point, flipper, mass), start, rate, n_steps=2000)
    distance = np.linalg.norm(far_walks[share][-1] - lowest)
    print(f"η = {rate:.5f}, {share} of the limit: distance after 2,000 steps {distance:.4f}")

# %%
ws = np.linspace(-1.2, 2.2, 61)  # (61,)
bs = np.linspace(2.4, 5.0, 61)  # (61,)
heights = np.array([[mse((w, b), flipper, mass) for w in ws] for b in bs])  # (61, 61)

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (learning_rate, walk) in zip(axes, walks.items()):
    ax.contour(ws, bs, heights, levels=np.arange(0.25, 8, 0.5), colors="0.8", linewidths=0.8)
    for vector, style in zip(eigenvectors.T, ("--", "-")):
        ax.axline(lowest, lowest + vector, color="0.4", linestyle=style, linewidth=0.8)
    ax.plot(walk[:, 0], walk[:, 1], "o-", color="C1", markersize=3, linewidth=1)
    ax.plot(*start, "s", color="0.2", fillstyle="none", markersize=9)
    factors = 1 - learning_rate * eigenvalues
    ax.set_title(f"η = {learning_rate}: factors {factors[0]:.2f} and {factors[1]:.2f}")
    ax.set(xlabel="w (kg per cm)", aspect="equal", xlim=(ws[0], ws[-1]), ylim=(bs[0], bs[-1]))
axes[0].set_ylabel("b (kg)")
plt.show()

# %% [markdown]
# Every walk starts at the square, and the thin lines are the two eigenvectors, dashed along the valley
# and solid across it. On the left both factors are positive, so the part across the valley vanishes
# after a few steps and the part along it shrinks slowly. In the middle the factor across is close to
# $-1$, so the walk jumps from one side to the other and still comes closer. On the right this factor has
# passed $-1$, so each jump is longer than the one before, although the part along the floor still
# shrinks. The printed lines show how sharp the limit is: a thousandth below it the walk still arrives, a
# thousandth above it diverges. The steepest direction alone sets this limit:
#
# $$\eta < \frac{2}{\lambda_{\max}} .$$
#
# ## How many steps?
#
# One rate has to serve all directions. The steep one forbids more than $2 / \lambda_{\max}$, and the flat
# one, with the factor $1 - \eta \lambda_{\min}$, would need much more. At the best compromise both
# factors have the same size, $1 - \eta\lambda_{\min} = -(1 - \eta\lambda_{\max})$, which gives
#
# $$\eta = \frac{2}{\lambda_{\min} + \lambda_{\max}}, \qquad
#   \text{factor} = \frac{\kappa - 1}{\kappa + 1}, \qquad
#   \kappa = \frac{\lambda_{\max}}{\lambda_{\min}} .$$
#
# The ratio $\kappa$ (kappa) is the *condition number*. If it is ten times as large, how many more steps
# do we need to come a million times closer?


# %%
def steps_to(tolerance, curvatures, learning_rate, max_steps=100_000):
    """Steps of gradient descent until every part of the distance is at most `tolerance` of what it was.

    curvatures: the eigenvalues of the Hessian. Raises ValueError if the walk does not arrive.
    """
    factors = 1 - learning_rate * np.asarray(curvatures, dtype=float)
    if not np.abs(factors).max() < 1:  # refuses nan, too
        raise ValueError(f"a rate of {learning_rate} does not converge on curvatures {curvatures}")
    parts = np.ones(len(factors))
    for n_steps in range(max_steps):
        if np.abs(parts).max() <= tolerance:
            return n_steps
        parts = factors * parts
    raise ValueError(f"a rate of {learning_rate} is too slow on curvatures {curvatures}")


steps_by_kappa = {}
print(f"{'condition number':20s}{'factor':>12s}{'steps':>12s}")
for kappa in (1, 10, 100, 1000):
    steps_by_kappa[kappa] = steps_to(1e-6, [1, kappa], learning_rate=2 / (1 + kappa))
    print(f"{kappa:<20d}{(kappa - 1) / (kappa + 1):12.4f}{steps_by_kappa[kappa]:12d}")

# %% [markdown]
# About ten times as many, once $\kappa$ is large. With $\kappa = 1$, a round valley, a single step
# suffices. So it pays to make the valley rounder, and for a line we can do so, because its Hessian
# depends on the inputs only. We subtract their mean and divide by their standard deviation, the typical
# distance from the mean (`std` in NumPy; lesson 2.8 explains it). Then the mean of $x$ is zero and the
# mean of $x^2$ is one, so $H$ has the entries $2$ on its diagonal and $0$ elsewhere, and the curvature is
# $2$ in every direction. We compare three ways to write the same flippers, each at its own best rate, and
# count steps until the gradient is shorter than a millionth.

# %%
inputs = {
    "decimetres": measurements[:, 0] / 100,
    "cm beyond 19": flipper,
    "scaled": (flipper - flipper.mean()) / flipper.std(),
}
kappas = {}
steps_by_input = {}
print(f"{'flipper':20s}{'condition number':>18s}{'best rate':>12s}{'steps':>12s}")
for name, x in inputs.items():
    low, high = np.linalg.eigvalsh(mse_hessian(x))
    kappas[name] = high / low
    best_rate = 2 / (low + high)
    point = guess
    n_steps = 0
    while np.linalg.norm(mse_gradient(point, x, mass)) >= 1e-6:
        point = point - best_rate * mse_gradient(point, x, mass)
        n_steps += 1
    steps_by_input[name] = n_steps
    print(f"{name:20s}{kappas[name]:18.1f}{best_rate:12.3f}{n_steps:12d}")

# %% [markdown]
# In decimetres all flippers are close to $2$, so raising $w$ by one is nearly the same as raising $b$ by
# two. If one is raised and the other lowered accordingly, the loss hardly changes, and so the valley is
# very long. Counting from 19 cm makes it much rounder, and scaling makes it perfectly round. The birds
# and the best line are the same in all three, and only the walk differs. This is why inputs of networks
# are scaled before training (lesson 3.1).
#
# ## Kinds of level ground
#
# So far all curvatures were positive, but the loss of a network has level ground of other kinds, too,
# where the gradient is zero and no bottom is reached. Here are four functions of two numbers whose
# gradient is zero at the dot. Can the eigenvalues tell the four apart? And what about $x^2 + y^4$ and
# $x^2 - y^4$?

# %%
shapes = {
    "minimum": lambda p: p[0] ** 2 + 0.5 * p[1] ** 2,
    "maximum": lambda p: -(p[0] ** 2) - 0.5 * p[1] ** 2,
    "saddle": lambda p: p[0] ** 2 - p[1] ** 2,
    "valley": lambda p: p[0] ** 2 + 0 * p[1],
}
more_shapes = shapes | {
    "x² + y⁴": lambda p: p[0] ** 2 + p[1] ** 4,
    "x² − y⁴": lambda p: p[0] ** 2 - p[1] ** 4,
}
signs = {}
print(f"{'function':20s}{'eigenvalues':>24s}")
for name, shape in more_shapes.items():
    values = np.linalg.eigvalsh(hessian(shape, np.zeros(2)).round(4)) + 0.0  # (2,); + 0.0 turns −0 into 0
    signs[name] = tuple(np.sign(values).astype(int).tolist())
    print(f"{name:20s}{values[0]:12.1f}{values[1]:12.1f}")

# %%
sparse_grid = grid[:, 12:49:9, 12:49:9].reshape(2, -1).T  # (2, 61, 61) -> (2, 5, 5) -> (2, 25) -> (25, 2)
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (name, shape) in zip(axes, shapes.items()):
    ax.contour(*grid, shape(grid), levels=np.linspace(-1.5, 1.5, 16), cmap="RdBu")
    downhill = -np.array([gradient(shape, point) for point in sparse_grid])  # (25, 2)
    ax.quiver(*sparse_grid.T, *downhill.T, color="0.3", angles="xy")
    ax.plot(0, 0, "o", color="black")
    ax.set(title=f"{name}: signs {signs[name]}", xlabel="x", aspect="equal")
axes[0].set_ylabel("y")
plt.show()

# %% [markdown]
# The arrows point downhill, from high (blue) to low (red). With two positive eigenvalues the ground
# rises in every direction, so the dot is a minimum, and with two negative ones it is a maximum. With one
# of each it is a *saddle*: arrows come in along one axis and leave along the other, so a small step in
# the second direction is enough to slide away. A zero leaves the question open. The valley, $x^2 + y^4$
# and $x^2 - y^4$ have the same eigenvalues, although the second has its minimum at the dot and the third
# falls away from it, because there the ground is too flat for curvature to decide. At a minimum of a
# network's loss none of millions of curvatures may be negative. If their signs were a matter of chance,
# that would hardly ever happen, so most points of level ground in such a loss are expected to be saddles
# (Dauphin et al. 2014).
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert paper_hessian.tolist() == [[3, 1], [1, 3]], "the measured Hessian is the one on paper"
assert degrees[curvatures[:180].argmax()] == 45, "the curvature is largest along (1, 1)"
assert degrees[curvatures[:180].argmin()] == 135, "the curvature is smallest along (1, −1)"
np.testing.assert_allclose([curvatures.min(), curvatures.max()], [2, 4], err_msg="extremes are eigenvalues")
assert 0.27 < 2 / eigenvalues[1] < 0.28, "the limit lies where lesson 2.5 found it"
below, above = (np.linalg.norm(walk[-1] - lowest) for walk in far_walks.values())
assert below < 0.1 * np.linalg.norm(start - lowest), "just below 2 / λmax the walk converges"
assert above > 10 * np.linalg.norm(start - lowest), "just above 2 / λmax the walk diverges"
assert steps_by_kappa[1] == 1, "in a round valley a single step suffices"
growth = steps_by_kappa[1000] / steps_by_kappa[100]
assert 9 < growth < 11, "ten times the condition number takes ten times the steps"
assert kappas["decimetres"] > 50 * kappas["cm beyond 19"], "counting from 19 cm makes it rounder"
np.testing.assert_allclose(kappas["scaled"], 1, rtol=1e-10, err_msg="scaled, the valley is round")
assert steps_by_input["decimetres"] > 50 * steps_by_input["cm beyond 19"], "rounder means fewer steps"
assert steps_by_input["scaled"] <= 2, "in the scaled valley the walk arrives at once"
for name, shape in more_shapes.items():
    assert np.abs(gradient(shape, np.zeros(2))).max() < 1e-9, f"the gradient is zero at the dot of {name}"
assert signs["minimum"] == (1, 1), "at a minimum both curvatures are positive"
assert signs["maximum"] == (-1, -1), "at a maximum both are negative"
assert signs["saddle"] == (-1, 1), "at a saddle there is one of each"
assert signs["valley"] == signs["x² + y⁴"] == signs["x² − y⁴"], "a zero leaves the question open"

# %% [markdown]
# ## Going further
#
# This can be skipped at first. It shows that near any point a smooth function is nearly a *quadratic*, a
# sum of terms with at most two of the variables as factors, like the function on paper. Lessons 8.2 and
# 8.5 use this. It also shows what a step would be that knows the Hessian.
#
# ### Every smooth function is nearly a quadratic
#
# The loss of a line is a quadratic, and the theory above is exact for it. The loss of a network is no
# quadratic, but as a curve looks straight under a magnifying glass (2.3), a little less magnification
# shows its bend. For a short step $s$ from the point $p$,
#
# $$f(p + s) \approx f(p) + \nabla f \cdot s + \tfrac12\, s \cdot H s .$$
#
# If the bend is right, what is missing should shrink like the third power of the step, a thousandfold for
# a tenfold shorter one. Without the last term, which leaves the tilted board of lesson 2.4, it would
# shrink like the second.


# %%
def wavy(point):
    """A function that is no quadratic."""
    x, y = point
    return np.sin(x) * np.exp(0.5 * y)


p = np.array([0.7, -0.3])
long_step = np.array([0.3, 0.4])
gradient_there = gradient(wavy, p)
hessian_there = hessian(wavy, p)
missing = {"tilted board": [], "quadratic": []}
print(f"{'length of the step':20s}{'board misses':>14s}{'quadratic misses':>18s}")
for scale in (1, 0.1, 0.01):
    s = scale * long_step
    board = wavy(p) + gradient_there @ s  # (2,) @ (2,) -> ()
    bent = board + s @ hessian_there @ s / 2  # (2,) @ (2, 2) @ (2,) -> ()
    missing["tilted board"].append(abs(wavy(p + s) - board))
    missing["quadratic"].append(abs(wavy(p + s) - bent))
    print(f"{np.linalg.norm(s):<20.3f}{missing['tilted board'][-1]:14.1e}{missing['quadratic'][-1]:18.1e}")

# %% [markdown]
# And so it is. When the step becomes ten times shorter, the error of the board becomes a hundred times
# smaller and that of the quadratic a thousand times.
#
# ### A step that knows the Hessian
#
# On a quadratic the gradient at a distance $a$ from the bottom is $Ha$. If we know $H$, we can solve this
# equation for $a$ and go to the bottom in one step, whatever the condition number. This is *Newton's
# method*.

# %%
raw = inputs["decimetres"]
newton_step = np.linalg.solve(mse_hessian(raw), mse_gradient(guess, raw, mass))  # (2,)
after_newton = guess - newton_step
print(f"length of the gradient: {np.linalg.norm(mse_gradient(guess, raw, mass)):.3f} at the guess", end="")
print(f", {np.linalg.norm(mse_gradient(after_newton, raw, mass)):.1e} after one Newton step")

# %% [markdown]
# One step replaces the thousands that gradient descent needed in decimetres. A network with a million
# parameters would have a Hessian of a million times a million numbers, far too many to store, so networks
# are trained with cheaper means (lesson 7.2).

# %%
board_ratio = missing["tilted board"][1] / missing["tilted board"][2]
quadratic_ratio = missing["quadratic"][1] / missing["quadratic"][2]
assert 80 < board_ratio < 120, "the board's error shrinks like the second power of the step"
assert 700 < quadratic_ratio < 1300, "the quadratic's error shrinks like the third power"
assert np.linalg.norm(mse_gradient(after_newton, raw, mass)) < 1e-8, "Newton's step arrives at once"

# %% [markdown]
# ## What to remember
#
# - The Hessian holds all second derivatives. Along a direction $d$ of length one the curvature is
#   $d \cdot H d$.
# - Along an eigenvector the matrix only stretches: $Hv = \lambda v$. The eigenvalues range from the
#   smallest to the largest curvature.
# - Along each eigenvector gradient descent shrinks the distance by its own factor $1 - \eta\lambda$. So
#   it converges only if $\eta < 2 / \lambda_{\max}$.
# - The number of steps grows with the condition number $\lambda_{\max} / \lambda_{\min}$. Scaling the
#   inputs makes it smaller.
# - Where the gradient is zero, the point is a minimum if all curvatures are positive, a maximum if all
#   are negative, and a saddle if both signs occur. If some are zero and the others agree in sign, they do
#   not decide.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Raise the middle factor of the function on paper: `return (3 * x * x + 8 * x * y + 3 * y * y) / 2`.
#    What are the Hessian and its eigenvalues now, and what kind of level ground is at the origin? Look at
#    the first figure.
# 2. Count the flippers from their mean: `flipper = measurements[:, 0] / 10 - (measurements[:, 0] /
#    10).mean()`. In which directions will the eigenvectors point now, and why? Look at the second figure.
# 3. In a blank cell at the end: choose a third curvature between $1$ and $100$ and call
#    `steps_to(1e-6, [1, …, 100], 2 / 101)` with several of them. Compare the numbers of steps with that
#    for `[1, 100]`. Does a direction in between cost anything?
#
# ## Sources
#
# - G. Strang, _Introduction to Linear Algebra_, 6th edition, 2023, chapter 6: eigenvalues and
#   eigenvectors.
# - S. Boyd, L. Vandenberghe, _Convex Optimization_, 2004, sections 9.3 and 9.5: condition number,
#   gradient descent, Newton's method. Reproduced: "ten times the condition number takes ten times the
#   steps".
# - G. Goh, "Why momentum really works", _Distill_, 2017: the walk along each eigenvector. Reproduced:
#   "just above 2 / λmax the walk diverges".
# - Y. Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
#   optimization", NeurIPS 2014: saddles in the loss of networks.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
