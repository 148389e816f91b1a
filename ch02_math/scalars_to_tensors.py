# %% [markdown]
# # 2.1 From scalars to tensors: numbers you can see
#
# A network is fed nothing but numbers. A penguin arrives as a few of them, a photo as hundreds of
# thousands, and a list that long says little to the eye. Seen as arrows, as machines that move arrows,
# and as stacks, the same numbers become things you can point at. The rest of the course is done to these.
#
# **You will build** lengths, angles, shadows and mixtures of arrows out of sums and products, a picture
# of what a matrix does to the plane, and a test for lost dimensions. **You need** Python lists, a little
# NumPy, and no earlier lesson.

# %%
import csv
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
ARROW = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.012, "zorder": 3}  # drawn to scale

# %% [markdown]
# ## A place on a line, an arrow in the plane
#
# Somebody measured several hundred penguins. One measurement of one bird is a single number, a *scalar*:
# a place on a line. Two measurements together are a *vector*. We read it as an arrow that starts at the
# average bird and says how far to go along each axis to reach this one.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

arrows = measurements - measurements.mean(axis=0)  # (n, 4): from the average bird to each bird
one_each = [int(np.argmax(labels == k)) for k in range(3)]  # the first bird of each species
print(f"a scalar: {arrows[one_each[2], 2]:.1f} mm of flipper more than the average bird")
print(f"a vector: {arrows[one_each[2], [0, 2]].round(1)} mm of bill and of flipper")

# %%
names, markers = ("Adélie", "chinstrap", "gentoo"), "o^s"
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for k, marker in enumerate(markers):
    of_species = measurements[labels == k]  # (n_k, 4)
    left.plot(of_species[:, 2], [k] * len(of_species), marker, color="0.2", fillstyle="none", label=names[k])
    arrow = arrows[one_each[k]][[0, 2]]  # (2,)
    right.quiver(0, 0, *arrow, **ARROW, color=f"C{k}")
    right.plot(*arrow, marker, color="0.2", markersize=9, fillstyle="none", label=f"one {names[k]}")
left.set(xlabel="flipper length (mm)", yticks=range(3), yticklabels=names, ylim=(-0.7, 2.7))
left.set_title("A scalar is a place on a line")
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.axvline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="bill length above average (mm)", ylabel="flipper length above average (mm)")
right.set(title="A vector is an arrow from the average bird", xlim=(-12, 12), ylim=(-25, 25))
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## On paper first
#
# Take the arrows $a = (3, 4)$ and $b = (5, 0)$. By Pythagoras the length of $a$, written $\lVert a
# \rVert$, is $\sqrt{3^2 + 4^2} = 5$, and $b$ is as long. Multiply matching entries and add: $3 \cdot 5 + 4
# \cdot 0 = 15$. That is their *dot product*. With the sun straight above $b$, the arrow $a$ throws a
# *shadow* on it that is $15 / 5 = 3$ long. You can see it in the entries: $b$ lies along the first axis,
# and $a$ goes $3$ that way.
#
# $$a \cdot b = \sum_i a_i b_i, \qquad \lVert a \rVert = \sqrt{a \cdot a}, \qquad
#   \text{shadow of } a \text{ on } b = \frac{a \cdot b}{b \cdot b}\, b .$$


# %%
def dot(a, b):
    """Sum of the products of matching entries; raises ValueError where a and b differ in length."""
    if len(a) != len(b):
        raise ValueError(f"arrows of {len(a)} and {len(b)} numbers have no dot product")
    return sum(x * y for x, y in zip(a, b))


def norm(a):
    """The length of the arrow a."""
    return math.sqrt(dot(a, a))


def shadow(a, b):
    """The part of a that lies along b, itself an arrow; raises ValueError where b has no length."""
    if norm(b) == 0:
        raise ValueError("an arrow of length zero has no direction")
    share = dot(a, b) / dot(b, b)
    return [share * x for x in b]


a, b = [3, 4], [5, 0]
print(f"lengths {norm(a)} and {norm(b)}   dot product {dot(a, b)}   shadow {shadow(a, b)}")
assert (norm(a), norm(b), dot(a, b), shadow(a, b)) == (5, 5, 15, [3, 0])

# %% [markdown]
# ## Agreement, whatever the length
#
# A shadow can be long, absent, or point backward. So the dot product is positive where two arrows agree,
# zero where they are perpendicular, negative where they oppose each other. Divide out both lengths and
# only the direction is left, a number from $-1$ to $1$. It is the cosine of the angle between them:
#
# $$\cos\theta = \frac{a \cdot b}{\lVert a \rVert\, \lVert b \rVert} .$$
#
# Rounding can carry it a hair past $1$, where no angle exists, so we hold it inside the range.


# %%
def cosine(a, b):
    """Agreement of two directions, from -1 to 1; raises ValueError where an arrow has no length."""
    lengths = norm(a) * norm(b)
    if lengths == 0:
        raise ValueError("an arrow of length zero has no direction")
    return max(-1.0, min(1.0, dot(a, b) / lengths))


def angle(a, b):
    """The angle between a and b in degrees, from 0 to 180."""
    return math.degrees(math.acos(cosine(a, b)))


for other in ([3, 4], [5, 0], [-4, 3], [-3, -4]):
    print(f"(3, 4) and {str(other):10s}dot {dot(a, other):4d}   cosine {cosine(a, other):5.2f}", end="")
    print(f"   angle {angle(a, other):6.2f}°")
assert cosine(a, b) == 0.6 and angle(a, [-4, 3]) == 90 and angle(a, [-3, -4]) == 180

# %% [markdown]
# Why the cosine? Turn the page until $b$ lies along the first axis. Then $a = \lVert a \rVert\,
# (\cos\theta, \sin\theta)$, and only the first product survives. What remains is that turning the page
# changes no dot product. We let an arrow go all the way round, and turn the page at each stop.


# %%
def turned(a, degrees):
    """The arrow a (two numbers), turned counterclockwise."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [c * a[0] - s * a[1], s * a[0] + c * a[1]]


fixed, stops = [2.0, 1.0], np.arange(0, 361, 5)  # stops: degrees from `fixed`
turning = [turned([1.6, 0.8], stop) for stop in stops]  # the same direction as `fixed`, shorter, then turned
agreement = np.array([dot(arrow, fixed) for arrow in turning])  # (73,)
law = norm(fixed) * norm([1.6, 0.8]) * np.cos(np.radians(stops))  # (73,)
on_turned_page = [dot(turned(arrow, 50), turned(fixed, 50)) for arrow in turning]
np.testing.assert_allclose(agreement, law, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(agreement, on_turned_page, rtol=1e-10, atol=1e-12)
print(f"at 0°, 90° and 180° the dot product is {agreement[[0, 18, 36]].round(10) + 0.0}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.quiver(0, 0, *fixed, **ARROW, color="0.6")
left.text(2.05, 1.0, "b", color="0.4", fontsize=12)
left.axline((0, 0), fixed, color="0.7", linewidth=0.8, zorder=0)
for color, marker, stop in zip(("C0", "C1", "C2"), markers, (40, 90, 150)):
    arrow = turned([1.6, 0.8], stop)
    foot = shadow(arrow, fixed)
    left.quiver(0, 0, *arrow, **ARROW, color=color)
    left.plot([arrow[0], foot[0]], [arrow[1], foot[1]], ":", color=color)
    left.plot(*foot, marker, color=color, markersize=8, zorder=4, label=f"shadow at {stop}°")
    right.plot(stop, dot(arrow, fixed), marker, color=color, markersize=8, zorder=4)
left.set(xlabel="first entry", ylabel="second entry", aspect="equal", xlim=(-2.4, 2.6), ylim=(-1.1, 2.4))
left.set_title("A shadow is long, gone, or backward")
left.legend(loc="upper right", fontsize=8)
right.plot(stops, agreement, color="0.5", zorder=1)
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="angle from b (degrees)", ylabel="dot product with b", xticks=range(0, 361, 90))
right.set_title("Agreement is zero at a right angle")
plt.show()

# %% [markdown]
# ## Mixing arrows
#
# Arrows add tip to tail, and a number stretches or flips an arrow. Doing both is a *linear combination*:
# so much of this one, so much of that one. Can we reach the point $(4, 1)$ with the arrows $u = (1, 1)$
# and $v = (2, -1)$? On paper, $2u + v = (2 + 2,\; 2 - 1)$.


# %%
def combine(amounts, vectors):
    """The linear combination sum_i amounts[i] * vectors[i]; raises ValueError where the counts differ."""
    if len(amounts) != len(vectors):
        raise ValueError(f"{len(amounts)} amounts for {len(vectors)} vectors")
    return [dot(amounts, entries) for entries in zip(*vectors, strict=True)]


u, v = [1, 1], [2, -1]
print(f"2u + v = {combine([2, 1], [u, v])}")
assert combine([2, 1], [u, v]) == [4, 1]

# %% [markdown]
# All that arrows can reach is their *span*. Two arrows that point different ways reach the whole plane:
# every point has its own recipe. Two that lie along one line never leave that line, whatever the amounts.

# %%
steps = range(-4, 5)
lattice = np.array([combine([p, q], [u, v]) for p in steps for q in steps])  # (81, 2)
stuck = np.array([combine([p, q], [u, [2, 2]]) for p in steps for q in steps])  # (81, 2)
print(f"different places reached: {len(np.unique(lattice, axis=0))} and {len(np.unique(stuck, axis=0))}")
assert len(np.unique(lattice, axis=0)) == 81 and np.all(stuck[:, 0] == stuck[:, 1])

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, points, second in ((left, lattice, v), (right, stuck, [2, 2])):
    ax.plot(*points.T, "o", color="0.6", markersize=4)
    ax.quiver(0, 0, *second, **ARROW, color="C1", label="v")
    ax.quiver(0, 0, *u, **ARROW, color="C0", label="u")
    ax.set(xlabel="first entry", ylabel="second entry", aspect="equal", xlim=(-8, 8), ylim=(-5.2, 5.2))
    ax.legend(loc="upper left")
left.set_title("Two directions reach the whole plane")
right.set_title("Two arrows on one line stay on it")
plt.show()

# %% [markdown]
# ## A matrix moves arrows
#
# A *matrix* is a table of numbers, and also a machine: an arrow goes in, an arrow comes out. Its first
# column says where the arrow $(1, 0)$ lands, its second where $(0, 1)$ lands. Any other arrow is a
# mixture of those two, and lands at the same mixture of the columns:
#
# $$A x = x_1 \,(\text{first column}) + x_2 \,(\text{second column}) + \dots$$


# %%
def apply(matrix, vector):
    """Where `matrix` (a list of m rows of n numbers) sends `vector` (n numbers): a list of m numbers."""
    return combine(vector, list(zip(*matrix, strict=True)))


shear = [[1, 1], [0, 1]]
print(
    f"(1, 0) -> {apply(shear, [1, 0])}   (0, 1) -> {apply(shear, [0, 1])}   (3, 2) -> {apply(shear, [3, 2])}"
)
assert apply(shear, [3, 2]) == [3 * 1 + 2 * 1, 3 * 0 + 2 * 1]
assert apply(shear, combine([2, 1], [u, v])) == combine([2, 1], [apply(shear, u), apply(shear, v)])

# %% [markdown]
# The last line is what *linear* means: mix first and move, or move first and mix, it is the same. That is
# why a matrix keeps straight lines straight, evenly spaced and parallel. We send a whole grid through
# four machines, the last of which has two columns along one line.

# %%
machines = {
    "turn by 30°": np.array([[math.cos(math.pi / 6), -0.5], [0.5, math.cos(math.pi / 6)]]),
    "stretch": np.array([[1.6, 0.0], [0.0, 0.5]]),
    "shear": np.array([[1.0, 1.0], [0.0, 1.0]]),
    "collapse": np.array([[1.0, 2.0], [0.5, 1.0]]),
}
ticks = np.linspace(-2, 2, 9)
lines = [np.array([[t, t], [-2, 2]]) for t in ticks] + [np.array([[-2, 2], [t, t]]) for t in ticks]

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (name, matrix) in zip(axes, machines.items()):
    for line in lines:
        ax.plot(*line, color="0.85", linewidth=0.8, zorder=0)
        ax.plot(*(matrix @ line), color="C0", linewidth=0.9, alpha=0.7)  # (2, 2) @ (2, 2) -> (2, 2)
    ax.quiver(0, 0, *matrix[:, 0], **ARROW, color="C1", label="where (1, 0) lands")
    ax.quiver(0, 0, *matrix[:, 1], **ARROW, color="black", label="where (0, 1) lands")
    ax.set(title=name, aspect="equal", xlim=(-4.2, 4.2), ylim=(-3.6, 2.9), xlabel="first entry")
axes[0].set_ylabel("second entry")
axes[1].legend(loc="lower center", fontsize=8)
fig.suptitle("Lines stay lines (grey before, blue after), and the columns say where the axes land")
plt.show()

# %% [markdown]
# ## What collapse forgets
#
# The last machine flattens the plane to a line. All arrows that differ by a multiple of $(2, -1)$ land on
# one spot, because that arrow itself is sent to zero. Nothing can undo it: the way back would have to
# know which of them it was.

# %%
collapse = machines["collapse"]
print(f"(2, -1) -> {apply(collapse.tolist(), [2, -1])}")
assert apply(collapse.tolist(), [2, -1]) == [0, 0]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for i, (start, marker) in enumerate(zip(([-1, -1], [0, 0], [1, 1]), markers)):
    family = np.array([combine([1, t], [start, [2, -1]]) for t in np.linspace(-0.9, 0.9, 7)])  # (7, 2)
    landed = np.array([apply(collapse.tolist(), arrow) for arrow in family])  # (7, 2)
    np.testing.assert_allclose(landed, landed[[0] * 7], rtol=1e-10, atol=1e-12)
    left.plot(*family.T, f"{marker}--", color=f"C{i}")
    right.plot(*landed.T, marker, color=f"C{i}", markersize=9)
right.axline((0, 0), (2, 1), color="0.7", linewidth=0.8, zorder=0)
left.set_title("Twenty-one different arrows…")
right.set_title("…land on three spots")
for ax in (left, right):
    ax.set(xlabel="first entry", ylabel="second entry", aspect="equal", xlim=(-4, 4), ylim=(-2.5, 2.5))
plt.show()

# %% [markdown]
# ## Rank: the dimensions that survive
#
# The *rank* of a matrix is the number of dimensions its columns span. Shadows count them. Take the
# columns one at a time and remove from each its shadows on the directions found so far. If something is
# left, it is a new direction; if nothing is, the column was a mixture of the others. Rounding leaves a
# little dust, so "nothing" is a ten-billionth of the column.


# %%
def rank(matrix, tolerance=1e-10):
    """How many dimensions the columns of `matrix` (m, n) span."""
    directions = []
    for column in np.asarray(matrix, dtype=float).T:
        rest = column
        for direction in directions:
            rest = rest - shadow(rest, direction)
        if norm(rest) > tolerance * norm(column):
            directions.append(rest / norm(rest))
    return len(directions)


for name, matrix in machines.items():
    print(f"{name:20s}rank {rank(matrix)}")
assert rank(collapse) == 1 and rank(shear) == 2
assert all(rank(matrix) == np.linalg.matrix_rank(matrix) for matrix in machines.values())

# %% [markdown]
# Data has rank too. Give each bird's bill once more in centimetres, and the sum of bill and flipper: two
# more columns, and nothing that was not known before.

# %%
bill, flipper = measurements[:, 0], measurements[:, 2]  # each (n,)
wider = np.column_stack([measurements, bill / 10, bill + flipper])  # (n, 6)
print(f"{measurements.shape[1]} columns of rank {rank(measurements)}, {wider.shape[1]} of rank {rank(wider)}")
assert rank(measurements) == rank(wider) == np.linalg.matrix_rank(wider) == 4

# %% [markdown]
# ## The same, faster
#
# NumPy has all of this, for arrows of any length. `@` between two vectors is the dot product; between a
# matrix and a vector it is the machine. Read the machine by rows now: entry $i$ of $Ax$ is the dot
# product of row $i$ with $x$. The same numbers, so the two readings are one.

# %%
rng = np.random.default_rng(0)
matrix, x, y = rng.normal(size=(5, 7)), rng.normal(size=7), rng.normal(size=7)
np.testing.assert_allclose(x @ y, dot(x, y), rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(np.linalg.norm(x), norm(x), rtol=1e-10, atol=1e-12)
cosine_of_both = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
np.testing.assert_allclose(np.degrees(np.arccos(cosine_of_both)), angle(x, y), rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(matrix @ x, apply(matrix, x), rtol=1e-10, atol=1e-12)  # (5, 7) @ (7,) -> (5,)
by_rows = [dot(row, x) for row in matrix]
print(f"largest difference between rows and columns: {np.abs(matrix @ x - by_rows).max():.1e}")
np.testing.assert_allclose(by_rows, apply(matrix, x), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Which bird points the same way?
#
# Four measurements make an arrow in four dimensions. No one can draw it, and nothing above minds. We
# scale every measurement so that its largest deviation is one, or else the grams would drown the
# millimetres, and make each arrow one long. A table of such arrows times one of them gives its cosine
# with every bird.

# %%
scaled = arrows / np.abs(arrows).max(axis=0)  # (n, 4): no unit dominates
directions = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)  # (n, 4): each row one long
closest = []
for i in range(len(directions)):
    agreements = directions @ directions[i]  # (n, 4) @ (4,) -> (n,)
    agreements[i] = -2  # a bird is not its own neighbour
    closest.append(int(agreements.argmax()))
np.testing.assert_allclose(agreements[:5], [cosine(scaled[-1], other) for other in scaled[:5]], rtol=1e-10)

print(f"{'species':20s}{'birds':>12s}{'closest bird is of the same species':>40s}")
same = labels[closest] == labels  # (n,)
for k, name in enumerate(names):
    print(f"{name:20s}{np.sum(labels == k):12d}{np.mean(same[labels == k]):40.1%}")
assert np.mean(same) > 0.93

# %% [markdown]
# Nothing was trained. Agreement between arrows already tells the species apart, and in lesson 12.2 the
# same dot product decides which words of a sentence attend to each other.
#
# ## Stacks
#
# A photo is a table of pixels, and every pixel is an arrow of three numbers: how much red, green and
# blue. That makes an array with three axes, height × width × channel. Many photos stack into one with
# four. The general word for an array with any number of axes is *tensor*.

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg")  # (H, W, 3) uint8
batch = np.stack([photo, photo[:, ::-1], photo[::-1]])  # (3, H, W, 3): as it is, mirrored, upside down
objects = {"scalar": photo[0, 0, 0], "vector": photo[0, 0], "matrix": photo[:, :, 0]}
objects |= {"tensor, one photo": photo, "tensor, a batch": batch}
print(f"{'object':20s}{'axes':>6s}{'numbers':>12s}   shape")
for name, array in objects.items():
    print(f"{name:20s}{array.ndim:6d}{array.size:12,d}   {array.shape}")
assert [array.ndim for array in objects.values()] == [0, 1, 2, 3, 4]
assert np.array_equal(batch[1, :, 0], photo[:, -1])  # mirrored: the first column was the last

# %% [markdown]
# How bright is a pixel? A mixture of its three channels, in which green counts most because the eye does.
# One `@` takes that dot product at every pixel, along the last axis, and a whole axis is gone.

# %%
weights = np.array([0.299, 0.587, 0.114])  # (3,): they add up to one
gray = photo @ weights  # (H, W, 3) @ (3,) -> (H, W)
np.testing.assert_allclose(gray[100, 200], dot(photo[100, 200].tolist(), weights.tolist()), rtol=1e-10)
means = photo.mean(axis=(0, 1))  # (3,): over all pixels, one number a channel
print(f"average red {means[0]:.0f}, green {means[1]:.0f}, blue {means[2]:.0f}, gray {gray.mean():.0f}")
assert means[0] > means[1] > means[2]
assert abs(gray.mean() - weights @ means) < 1e-9  # linear: mix then average, or average then mix

# %%
fig, axes = plt.subplots(1, 5, figsize=(14, 3.6), layout="constrained")
axes[0].imshow(photo)
axes[0].set_title(f"{' × '.join(map(str, photo.shape))}")
for channel, name in enumerate(("red", "green", "blue")):
    axes[channel + 1].imshow(photo[:, :, channel], cmap="gray", vmin=0, vmax=255)
    axes[channel + 1].set_title(f"the {name} channel")
axes[4].imshow(gray, cmap="gray", vmin=0, vmax=255)
axes[4].set_title("the three, mixed")
for ax in axes:
    ax.set(xticks=[], yticks=[])
fig.suptitle("A photo is three tables on top of each other, here brightest in red and darkest in blue")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Scalar, vector, matrix, tensor: none, one, two, any number of axes. The shape says which.
# - The dot product measures agreement: positive, zero at a right angle, negative. Divided by both lengths
#   it is the cosine.
# - A matrix moves arrows. Its columns say where the axes land, its rows ask one dot product each.
# - Rank is the number of dimensions that survive. What collapses cannot come back.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Let the birds keep their grams and millimetres: `scaled = arrows`. Which measurement now decides
#    alone?
# 2. Put the machine `-np.eye(2)` in the figure. Is it a turn? By how much? And `[[0, 1], [1, 0]]`?
# 3. Give `weights` the numbers `[1, -1, 0]`. Which parts of the photo are brightest, and which are
#    negative?
#
# ## Sources
#
# - G. Strang, *Introduction to Linear Algebra*, 6th edition, 2023, chapters 1 and 3: combinations of
#   columns.
# - G. Sanderson, *Essence of linear algebra*, 2016: the idea of watching the grid move.
# - ITU-R Recommendation BT.601: the weights of red, green and blue.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
# - R. Michetti, Pikolo Espresso Bar: the photograph, from scikit-image.
