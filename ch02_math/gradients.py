# %% [markdown]
# # 2.4 Gradients: one arrow that knows the way up
#
# You stand on a hillside in fog. Nothing can be seen, but your feet feel two slopes, one to the east and
# one to the north. These two numbers are enough to know the slope in every direction, and which way is
# steepest. A network stands on such a hillside too, with millions of directions instead of two.
#
# **You will build** the gradient, measured and by formula, a proof by measurement that it is the steepest
# way, and a picture of how the ground curves. **You need** dot products and matrices (2.1) and
# derivatives (2.3).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
ARROW = {"angles": "xy", "scale_units": "xy", "scale": 1, "zorder": 3}  # drawn to scale
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Let $f(x, y) = x^2 + 3xy$, and stand at $(1, 2)$. Walk east: $y$ stays $2$, so $f = x^2 + 6x$, whose
# slope $2x + 6$ is $8$. Walk north: $x$ stays $1$, so $f = 1 + 3y$, with slope $3$. These are the
# *partial derivatives*, each a slope along one axis with all else held still. Together they make one
# arrow, the *gradient*:
#
# $$\nabla f = \left(\frac{\partial f}{\partial x}, \frac{\partial f}{\partial y}\right) = (8, 3) .$$


# %%
def partial(f, point, axis, h=1e-5):
    """Slope of f along one axis at `point` (n,); f takes an array (n,) and returns a number."""
    step = np.zeros(len(point))
    step[axis] = h
    return (f(point + step) - f(point - step)) / (2 * h)


def gradient(f, point):
    """All slopes of f along the axes at `point` (n,), as one array (n,)."""
    point = np.asarray(point, dtype=float)
    return np.array([partial(f, point, axis) for axis in range(len(point))])


def on_paper(point):
    x, y = point
    return x * x + 3 * x * y


print(f"measured {gradient(on_paper, [1, 2]).round(6)}")
np.testing.assert_allclose(gradient(on_paper, [1, 2]), [8, 3], rtol=1e-8)

# %% [markdown]
# ## Two cuts through a hill
#
# A landscape gives a height for every place. We draw it as a map: along a *contour* the height stays the
# same, and where contours crowd, the ground is steep. Two straight cuts through one place, one along each
# axis, show the two slopes.


# %%
def hill(point):
    """Height of a landscape with two hills; point: (2,), or (2, …) for many places at once."""
    x, y = point
    return np.exp(-x * x - y * y) + 0.6 * np.exp(-((x - 1.8) ** 2) - (y - 1) ** 2)


stand = np.array([-0.5, 0.6])
east, north = gradient(hill, stand)
print(f"slope to the east {east:.3f}, slope to the north {north:.3f}")
assert east > 0 > north

# %%
grid = np.stack(np.meshgrid(np.linspace(-2, 3.2, 105), np.linspace(-1.8, 2.6, 89)))  # (2, 89, 105)
reach = np.linspace(-1, 1, 101)  # (101,)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
contours = left.contour(*grid, hill(grid), levels=12, cmap="viridis")
fig.colorbar(contours, ax=left, label="height")
for axis, (slope, style, name) in enumerate(zip((east, north), ("-", "--"), ("east", "north"))):
    cut = stand[:, None] + np.eye(2)[:, axis, None] * reach  # (2, 1) + (2, 1) * (101,) -> (2, 101)
    left.plot(*cut, style, color=f"C{axis}", label=f"cut to the {name}")
    right.plot(reach, hill(cut), style, color=f"C{axis}", label=f"height, going {name}")
    near = reach[30:71]  # (41,)
    right.plot(near, hill(stand) + slope * near, color="0.2", linewidth=0.8, zorder=0)
left.plot(*stand, "o", color="black")
right.plot(0, hill(stand), "o", color="black")
left.set(xlabel="x (east)", ylabel="y (north)", title="One place on the map, two cuts")
left.legend(loc="lower right", fontsize=8)
right.set(xlabel="distance from the place", ylabel="height", title="Up to the east, down to the north")
right.set_xticks(np.linspace(-1, 1, 5))
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Any direction is a mixture
#
# Under the magnifying glass the hillside is a flat, tilted board. A small step that goes $d_1$ east and
# $d_2$ north rises by $d_1$ times the first slope plus $d_2$ times the second: a dot product. For a step
# of length one in direction $d$ that is the *directional derivative*
#
# $$D_d f = \nabla f \cdot d = \lVert \nabla f \rVert \cos\theta .$$


# %%
def directional(f, point, direction, h=1e-5):
    """Slope of f at `point` (n,) along `direction` (n,), of any length; raises ValueError for none."""
    length = np.linalg.norm(direction)
    if length == 0:
        raise ValueError("an arrow of length zero has no direction")
    step = h * np.asarray(direction) / length  # (n,)
    return (f(point + step) - f(point - step)) / (2 * h)


print(f"{'direction':20s}{'measured':>12s}{'dot product':>12s}")
for direction in ([1, 0], [0, 1], [1, 1], [3, -4]):
    unit = np.array(direction) / np.linalg.norm(direction)  # (2,)
    measured, predicted = directional(hill, stand, direction), gradient(hill, stand) @ unit
    print(f"{str(direction):20s}{measured:12.6f}{predicted:12.6f}")
    np.testing.assert_allclose(measured, predicted, rtol=1e-8)

# %% [markdown]
# ## Why the gradient is the steepest way
#
# The cosine is largest at angle zero, so no direction climbs faster than that of the gradient, and its
# length is how fast. At a right angle the cosine is zero: that way the height stays the same, and so the
# gradient stands *perpendicular to the contour*. We measure, without using the gradient, the slope in 360
# directions.

# %%
degrees = np.arange(360)  # (360,)
compass = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])  # (2, 360)
slopes = np.array([directional(hill, stand, direction) for direction in compass.T])  # (360,)
arrow = gradient(hill, stand)  # (2,)
heading = np.degrees(np.arctan2(arrow[1], arrow[0])) % 360
level = degrees[1:][np.diff(np.sign(slopes)) != 0]  # the directions between up and down
print(f"steepest of all at {degrees[slopes.argmax()]}° with slope {slopes.max():.4f}")
print(f"gradient points to {heading:.1f}° and is {np.linalg.norm(arrow):.4f} long; level at {level}°")
assert abs(degrees[slopes.argmax()] - heading) <= 0.51
assert abs(slopes.max() / np.linalg.norm(arrow) - 1) < 1e-4
assert np.all(np.abs(np.abs((level - heading + 180) % 360 - 180) - 90) <= 1)  # a right angle, either side

# %% [markdown]
# One place could be luck. At two hundred others the steepest of the measured directions is the gradient's
# every time, to the nearest degree.

# %%
places = rng.uniform(-1.5, 2, size=(200, 2))
gaps = []
for place in places:
    angles = np.radians(degrees)
    best = degrees[np.argmax([directional(hill, place, direction) for direction in compass.T])]
    up = gradient(hill, place)
    gaps.append((best - np.degrees(np.arctan2(up[1], up[0])) + 180) % 360 - 180)
print(f"largest angle between steepest direction and gradient: {np.abs(gaps).max():.2f}°")
assert np.abs(gaps).max() <= 0.51

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.contour(*grid, hill(grid), levels=12, cmap="viridis")
coarse = grid[:, ::8, ::8].reshape(2, -1)  # (2, 12 * 14)
field = np.array([gradient(hill, place) for place in coarse.T]).T  # (2, 12 * 14)
left.quiver(*coarse, *field, color="0.5", angles="xy")
left.quiver(*stand, *arrow, **ARROW, color="C1", width=0.012)
left.plot(*stand, "o", color="black")
left.set(xlabel="x (east)", ylabel="y (north)", aspect="equal")
left.set_title("Gradients cross the contours at right angles")
right.plot(degrees, slopes, label="slope")
right.axvline(heading, color="C1", linestyle="--", label="direction of the gradient")
right.plot(level, 0 * level, "o", color="0.2", fillstyle="none", label="along the contour")
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="direction (degrees from east)", ylabel="slope", xticks=range(0, 361, 90))
right.set(title="The steepest of 360 directions is the gradient's", ylim=(-1, 1.5))
right.legend(loc="upper center", fontsize=8)
plt.show()

# %% [markdown]
# ## Where the gradient vanishes
#
# On level ground the gradient is zero, and the ground may still rise on all sides (a *bowl*; upside down,
# a *peak*), rise one way and fall the other (a *saddle*), lie level along one line with rising sides (a
# *valley*) or with falling sides (a *ridge*). What tells them apart is how the slope changes.

# %%
shapes = {
    "bowl": lambda p: p[0] ** 2 + 0.5 * p[1] ** 2,
    "saddle": lambda p: p[0] ** 2 - p[1] ** 2,
    "valley": lambda p: p[0] ** 2 + 0 * p[1],
    "ridge": lambda p: -(p[0] ** 2) + 0 * p[1],
}
square = np.stack(np.meshgrid(np.linspace(-1, 1, 61), np.linspace(-1, 1, 61)))  # (2, 61, 61)
sparse = square[:, 6::12, 6::12].reshape(2, -1)  # (2, 25)

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (name, shape) in zip(axes, shapes.items()):
    levels = np.linspace(-1.5, 1.5, 16)
    ax.contour(*square, shape(square), levels=levels, cmap="RdBu")
    ax.quiver(*sparse, *np.array([gradient(shape, place) for place in sparse.T]).T, color="0.3", angles="xy")
    ax.plot(0, 0, "o", color="black")
    ax.set(title=name, xlabel="x", aspect="equal")
    assert np.all(np.abs(gradient(shape, [0, 0])) < 1e-9)
axes[0].set_ylabel("y")
fig.suptitle("Four kinds of level ground: the gradient at the dot is zero in each (red low, blue high)")
plt.show()

# %% [markdown]
# ## Curvature
#
# The derivative of the slope is the *second derivative*, the *curvature*: positive where the ground bends
# up. In two dimensions each of the two slopes can change along each of the two axes, which makes a table
# of four numbers, the *Hessian*: row $i$ says how the gradient changes on a step along axis $i$. On
# paper, the *quadratic* bowl
#
# $$f(x, y) = \tfrac12 (3x^2 + 2xy + 3y^2), \qquad \nabla f = (3x + y,\; x + 3y), \qquad
#   H = \begin{pmatrix} 3 & 1 \\ 1 & 3 \end{pmatrix} .$$


# %%
def hessian(f, point, h=1e-4):
    """Change of the gradient of f a step along each axis at `point` (n,), as an array (n, n)."""
    steps = h * np.eye(len(point))  # (n, n): one step a row
    return np.array([(gradient(f, point + step) - gradient(f, point - step)) / (2 * h) for step in steps])


def quadratic(point):
    x, y = point
    return (3 * x * x + 2 * x * y + 3 * y * y) / 2


curvature = hessian(quadratic, np.array([0.4, -0.7])).round(4)  # (2, 2)
print(curvature)
np.testing.assert_array_equal(curvature, [[3, 1], [1, 3]])

# %% [markdown]
# ## The directions that do not turn
#
# The Hessian is a matrix, so it is a machine: a step goes in, the change of the gradient comes out. It
# turns most arrows. But $H(1, 1) = (4, 4)$ and $H(1, -1) = (2, -2)$: these two are stretched and keep
# their direction. They are its *eigenvectors*, the factors $4$ and $2$ its *eigenvalues*. Along them the
# bowl is most and least curved. For a unit step $d$ the curvature is $d \cdot H d$, and we measure that
# over all directions too.

# %%
# eigh: for tables that read the same by rows and by columns, as a Hessian does
eigenvalues, eigenvectors = np.linalg.eigh(curvature)  # (2,) from small to large, (2, 2): one a column
# (2,) @ (2, 2) @ (2,), 360 times
bends = np.array([direction @ curvature @ direction for direction in compass.T])
print(f"eigenvalues {eigenvalues}, most curved at {bends[:180].argmax()}°, least at {bends[:180].argmin()}°")
np.testing.assert_allclose(curvature @ [1, 1], [4, 4])  # (2, 2) @ (2,) -> (2,)
np.testing.assert_allclose(curvature @ eigenvectors, eigenvalues * eigenvectors)  # (2, 2) @ (2, 2) -> (2, 2)
assert bends[:180].argmax() == 45 and bends[:180].argmin() == 135
np.testing.assert_allclose([bends.min(), bends.max()], eigenvalues, rtol=1e-10)

# %% [markdown]
# How much room does the machine make? The unit square becomes a parallelogram, and the *determinant*,
# $ad - bc$ for a table with rows $(a, b)$ and $(c, d)$, is its area. Since it stretches by the
# eigenvalues, the area is also their product.


# %%
def determinant(matrix):
    """Signed area of the parallelogram that a 2 × 2 matrix makes of the unit square."""
    (a, b), (c, d) = matrix
    return a * d - b * c


def polygon_area(corners):
    """Area of a polygon from its corners (n, 2), in order: half the sum of x_i y_{i+1} − x_{i+1} y_i."""
    x, y = np.asarray(corners).T
    return abs(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


unit_square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # (4, 2): corners
image = unit_square @ curvature.T  # (4, 2) @ (2, 2) -> (4, 2)
print(f"area {polygon_area(image):.1f}   determinant {determinant(curvature):.1f}", end="")
print(f"   product of the eigenvalues {eigenvalues.prod():.1f}")
np.testing.assert_allclose([polygon_area(image), eigenvalues.prod()], determinant(curvature), rtol=1e-10)

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
axes[0].contour(*square, quadratic(square), levels=10, cmap="viridis")
for value, vector, color, style in zip(eigenvalues, eigenvectors.T, ("C0", "C1"), ("--", "-")):
    ends = np.outer([-0.8, 0.8], vector)  # (2, 2): from one end to the other
    axes[0].plot(*ends.T, style, color=color, linewidth=2, label=f"curvature {value:.0f}")
for direction in compass[:, ::15].T:
    after = curvature @ direction  # (2, 2) @ (2,) -> (2,)
    stays = abs(direction @ after / np.linalg.norm(after)) > 1 - 1e-9
    axes[1].plot(
        *np.stack([direction, after]).T, color="C1" if stays else "0.6", linewidth=2.5 if stays else 1
    )
    axes[1].plot(*after, "s", color="C1" if stays else "0.6", markersize=4)
axes[1].plot(*compass, color="C0")
axes[2].fill(*image.T, color="C1", alpha=0.3, label=f"area {determinant(curvature):.0f}")
axes[2].fill(*unit_square.T, color="C0", hatch="//", alpha=0.6, label="area 1")
for ax, title in zip(axes, ("least and most curved", "in: circle, out: squares", "a square goes in")):
    ax.set(title=title, aspect="equal")
axes[0].legend(loc="lower right", fontsize=8)
axes[2].legend(loc="upper left")
fig.suptitle("The Hessian: its eigenvectors do not turn (bold), its determinant is an area")
plt.show()

# %% [markdown]
# Now the four kinds of level ground have names in numbers. The signs of the two eigenvalues tell them
# apart.

# %%
print(f"{'shape':20s}{'eigenvalues':>14s}{'determinant':>14s}")
found = {name: np.linalg.eigvalsh(hessian(shape, np.zeros(2)).round(4)) for name, shape in shapes.items()}
for name, values in found.items():
    print(f"{name:20s}{values[0]:7.1f}{values[1]:7.1f}{values.prod() + 0.0:14.1f}")
signs = {name: tuple(np.sign(values).astype(int).tolist()) for name, values in found.items()}
assert signs == {"bowl": (1, 1), "saddle": (-1, 1), "valley": (0, 1), "ridge": (-1, 0)}

# %% [markdown]
# ## A hillside made of penguins
#
# In learning, the landscape is the error and the place is the model's numbers, its *parameters*. We
# guess a penguin's mass from its flipper with a line, $\hat y = wx + b$. The error of one bird is
# $(w x_i + b - y_i)^2$, and by the chain rule its gradient is twice the miss, times $x_i$ for $w$ and
# times one for $b$. The average of these errors is the *mean squared error* $L$. The slopes of a sum
# add, so the gradient over all birds is the average of their arrows:
#
# $$L = \frac1n \sum_i (w x_i + b - y_i)^2, \qquad
#   \nabla L = \frac1n \sum_i 2\,(w x_i + b - y_i)\,(x_i, 1) .$$

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

flipper = (measurements[:, 0] - measurements[:, 0].mean()) / 10  # (n,): centimetres from the average bird
mass = measurements[:, 1] / 1000  # (n,): kilograms

# %% [markdown]
# A loss of some parameters on some data: every chapter returns to this kind of function. Its gradient
# comes twice, by formula for each bird, and measured.


# %%
def loss(parameters, x, y):
    """Mean squared error of the line w·x + b on x, y (n,); parameters: (w, b)."""
    w, b = parameters
    return np.mean((w * x + b - y) ** 2)


def bird_gradients(parameters, x, y):
    """Gradient of every bird's own squared error, (n, 2): its slope along w and along b."""
    w, b = parameters
    residual = w * x + b - y  # (n,)
    return 2 * np.stack([residual * x, residual], axis=1)  # n pairs -> (n, 2)


guess = np.array([1.2, 3.4])  # kilograms for one centimetre, kilograms of the average bird
arrows = bird_gradients(guess, flipper, mass)  # (n, 2)
average = arrows.mean(axis=0)  # (2,)
measured = gradient(lambda parameters: loss(parameters, flipper, mass), guess)  # (2,)
print(f"average of {len(arrows)} arrows {average.round(6)}, measured {measured.round(6)}")
np.testing.assert_allclose(average, measured, rtol=1e-8)

# %% [markdown]
# Must every bird be asked? The arrows of single birds point all over, but the average of a few dozen,
# chosen at random, points nearly the same way as the average of all, at least this far from the best
# line. That is why a network can learn from one small *batch* after another.

# %%
batch_size, agreement = 32, []
batches = [rng.choice(len(arrows), size=batch_size, replace=False) for _ in range(500)]
batch_arrows = np.array([arrows[chosen].mean(axis=0) for chosen in batches])  # (500, 2)
for name, some in (("one bird", arrows), (f"batch of {batch_size}", batch_arrows)):
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(average)  # (m,)
    agreement.append(some @ average / lengths)  # (m, 2) @ (2,) -> (m,): cosines
    print(f"{name:20s}cosine with the average: median {np.median(agreement[-1]):.3f}", end="")
    print(f"   pointing the wrong way: {np.mean(agreement[-1] < 0):.1%}")
assert np.median(agreement[1]) > 0.9 and np.mean(agreement[0] < 0) > 0.02

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(flipper, mass, "o", markersize=3, label="birds")
left.axline((0, guess[1]), slope=guess[0], color="C1", label="a first guess")
left.set(xlabel="flipper above average (cm)", ylabel="mass (kg)", title="The guess misses most birds…")
left.legend()
few, few_batches = arrows[::6].T, batch_arrows[:12].T  # (2, 57), (2, 12)
right.quiver(*np.zeros_like(few), *few, **ARROW, color="0.8", width=0.003, label="single birds")
right.quiver(*np.zeros_like(few_batches), *few_batches, **ARROW, color="C0", width=0.005, label="batches")
right.quiver(0, 0, *average, **ARROW, color="C1", width=0.014, label="average of all")
right.set(xlabel="slope along w", ylabel="slope along b", xlim=(-3, 8), ylim=(-5, 3))
right.set_title("…and the average of their arrows is the gradient")
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## What to remember
#
# - A partial derivative is the slope along one axis. The gradient collects them into one arrow.
# - The slope in any direction is a dot product with the gradient. So the gradient points the steepest way
#   up, its length is how steep that is, and it is perpendicular to the contour.
# - Where it vanishes, the eigenvalues of the Hessian tell bowl from saddle, valley and ridge.
# - The gradient of a sum is the sum of the gradients, and an average over a batch is a good estimate of
#   it.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Replace `quadratic` by $x^2 + 2xy + y^2$. Which eigenvalue becomes zero, and which of the four shapes
#    is it?
# 2. Put `stand` on top of the higher hill. What do the 360 slopes look like now?
# 3. Take batches of 4 and of 128. How does the share of arrows pointing the wrong way change?
#
# ## Sources
#
# - G. Strang, *Introduction to Linear Algebra*, 6th edition, 2023, chapters 5 and 6: determinants,
#   eigenvectors.
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, section 4.3: gradient, curvature,
#   saddles.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
