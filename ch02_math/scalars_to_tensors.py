# %% [markdown]
# # 2.1 From scalars to tensors: lists of numbers that can be seen
#
# Which two penguins are most alike? A music service asks the same of songs, a search engine of web pages,
# and a network of the words in a sentence. All of them first turn each thing into a list of numbers, and
# then they need a measure of likeness. A list of numbers says little to the eye, but it can be read as an
# arrow, and arrows have lengths and angles. This lesson is about the four kinds of objects that networks
# compute with, the *scalar* (a single number), the *vector* (a list of numbers), the *matrix* (a table)
# and the *tensor* (any stack of tables), and about what can be seen in each.
#
# **You will build** lengths, angles and mixtures of vectors from sums and products, a measure of likeness
# for penguins, and a picture of what a matrix does to the plane. **You need** Python lists, a little
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
# ## On paper first
#
# Take the vectors $a = (3, 4)$ and $b = (2, 0)$ and draw them as arrows from the origin: $a$ goes $3$ to
# the right and $4$ up. Its length or *norm*, written $\lVert a \rVert$, follows from Pythagoras. The *dot
# product* $a \cdot b$ multiplies matching entries and adds the products.
#
# $$\begin{aligned}
#   \lVert a \rVert &= \sqrt{3^2 + 4^2} = 5 \\
#   a \cdot b &= 3 \cdot 2 + 4 \cdot 0 = 6 \\
#   \frac{a \cdot b}{\lVert b \rVert} &= \frac{6}{2} = 3
# \end{aligned}$$
#
# The last number can be seen, because with light falling straight down on $b$, the arrow $a$ throws a
# shadow on the line of $b$, and this shadow is $3$ long. It is called the *projection* of $a$ on $b$. To
# get it as a vector we take $b$, give it the length one, which makes it a *unit vector*, and stretch it by
# that number:
#
# $$\text{projection of } a \text{ on } b
#   = \frac{a \cdot b}{\lVert b \rVert} \cdot \frac{b}{\lVert b \rVert}
#   = \frac{a \cdot b}{b \cdot b}\, b .$$


# %%
def dot(a, b):
    """Sum of the products of matching entries; raises ValueError if a and b differ in length."""
    if len(a) != len(b):
        raise ValueError(f"vectors of {len(a)} and {len(b)} numbers have no dot product")
    return sum(float(x) * float(y) for x, y in zip(a, b))  # float: NumPy's small whole numbers overflow


def norm(a):
    """The length of the vector a."""
    return math.sqrt(dot(a, a))


def projection(a, b):
    """The part of a that lies along b, a vector; raises ValueError if b is zero."""
    if norm(b) == 0:
        raise ValueError("a vector of length zero has no direction")
    amount = dot(a, b) / dot(b, b)
    return [amount * x for x in b]


a = [3, 4]
b = [2, 0]
print(f"length {norm(a)}   dot product {dot(a, b)}   projection {projection(a, b)}")
assert (norm(a), dot(a, b), projection(a, b)) == (5, 6, [3, 0])

# %% [markdown]
# ## Scalars and vectors
#
# Somebody measured several hundred penguins, and one measurement of one bird is a scalar, a place on a
# line. Two measurements of a bird make a vector, an arrow in the plane. We let it start at the average
# bird, so that it says by how much this bird is larger or smaller.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

deviations = measurements - measurements.mean(axis=0)  # (n, 4): from the average bird to each bird
examples = [int(np.argmax(labels == k)) for k in range(3)]  # the first bird of each species
print(f"a scalar: {deviations[examples[2], 2]:.1f} mm of flipper more than the average bird")
print(f"a vector: {deviations[examples[2], [0, 2]].round(1)} mm of bill and of flipper")

# %%
titles = ("Adélie", "chinstrap", "gentoo")
markers = "o^s"
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for k, marker in enumerate(markers):
    of_species = measurements[labels == k]  # (n_k, 4)
    left.plot(of_species[:, 2], [k] * len(of_species), marker, color="0.2", fillstyle="none")
    arrow = deviations[examples[k]][[0, 2]]  # (2,)
    right.quiver(0, 0, *arrow, **ARROW, color=f"C{k}")
    right.plot(*arrow, marker, color="0.2", markersize=9, fillstyle="none", label=f"one {titles[k]}")
left.set(xlabel="flipper length (mm)", yticks=range(3), yticklabels=titles, ylim=(-0.7, 2.7))
left.set_title("Scalars: one measurement of each bird")
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.axvline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="bill length above average (mm)", ylabel="flipper length above average (mm)")
right.set(title="Vectors: two measurements of three birds", xlim=(-12, 12), ylim=(-25, 25))
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# On the left a bird is a point on its species' line. On the right a bird is an arrow: the gentoo has a
# longer bill and a longer flipper than the average bird, the Adélie has both shorter, and the chinstrap
# has only the flipper shorter.
#
# ## Adding and stretching vectors
#
# Two vectors are added entry by entry, and a number times a vector stretches it (or turns it round, if
# the number is negative). Both together make a *linear combination*, a number times one vector plus a
# number times another:
#
# $$2\,(1, 1) + 1\,(2, -1) = (2 + 2,\; 2 - 1) = (4, 1) .$$
#
# What does this look like with arrows? And which points of the plane can be reached by combinations of
# $u = (1, 1)$ and $v = (2, -1)$, and which by combinations of $u$ and $(2, 2)$?


# %%
def linear_combination(amounts, vectors):
    """The sum of amounts[i] * vectors[i], a list; raises ValueError if the counts or the lengths differ."""
    if len(amounts) != len(vectors):
        raise ValueError(f"{len(amounts)} amounts for {len(vectors)} vectors")
    # zip(*vectors) groups the first entries of all vectors, then the second ones, and so on
    return [dot(amounts, entries) for entries in zip(*vectors, strict=True)]


u = [1, 1]
v = [2, -1]
print(f"2u + v = {linear_combination([2, 1], [u, v])}")
assert linear_combination([2, 1], [u, v]) == [4, 1]
amounts = range(-4, 5)
reached = np.array([linear_combination([p, q], [u, v]) for p in amounts for q in amounts])  # (81, 2)
on_a_line = np.array([linear_combination([p, q], [u, [2, 2]]) for p in amounts for q in amounts])  # (81, 2)

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
axes[0].quiver(0, 0, 2, 2, **ARROW, color="C0", label="2u")
axes[0].quiver(2, 2, 2, -1, **ARROW, color="C1", label="v, from the tip of 2u")
axes[0].quiver(0, 0, 4, 1, **ARROW, color="black", label="2u + v")
axes[0].set(xlim=(-0.5, 5), ylim=(-0.5, 3.5), title="Addition, tip to tail")
axes[0].legend(loc="upper right", fontsize=8)
for ax, points, second, name in ((axes[1], reached, v, "(2, −1)"), (axes[2], on_a_line, [2, 2], "(2, 2)")):
    ax.plot(*points.T, "o", color="0.6", markersize=3)
    ax.quiver(0, 0, *second, **ARROW, color="C1", label=name)
    ax.quiver(0, 0, *u, **ARROW, color="C0", label="u = (1, 1)")
    ax.set(xlim=(-8, 8), ylim=(-5.2, 5.2), title=f"Whole-number combinations of u and {name}")
    ax.legend(loc="upper left", fontsize=8)
for ax in axes:
    ax.set(xlabel="first entry", ylabel="second entry", aspect="equal")
plt.show()

# %% [markdown]
# To add, put the tail of the second arrow at the tip of the first; the sum leads from the start to the
# end. In the middle only whole amounts are drawn. With all amounts the whole plane can be reached,
# because the two arrows do not lie along one line. On the right they do, and every combination stays on
# that line. What can be reached is called the *span* of the vectors.
#
# ## The angle between two vectors
#
# The dot product of the paper example is positive. It becomes zero if $a$ stands at a right angle to $b$,
# because then there is no projection, and negative if the projection points backwards. If both lengths
# are divided out, only the angle $\theta$ is left, and the result is its cosine:
#
# $$\cos\theta = \frac{a \cdot b}{\lVert a \rVert\, \lVert b \rVert} .$$
#
# Why the cosine? Turn the page until $b$ lies along the first axis. Then
# $a = \lVert a \rVert\,(\cos\theta, \sin\theta)$, and in the dot product only
# $\lVert a \rVert \cos\theta \cdot \lVert b \rVert$ is left. For this argument a dot product must not
# change if the page is turned. We let an arrow go all the way round $b$, and check both: that the dot
# product is the two lengths times the cosine, and that turning the page does not change it.


# %%
def cosine(a, b):
    """Cosine of the angle between a and b, from -1 to 1; raises ValueError if one of them is zero."""
    lengths = norm(a) * norm(b)
    if lengths == 0:
        raise ValueError("a vector of length zero has no direction")
    return max(-1.0, min(1.0, dot(a, b) / lengths))  # rounding could carry it past 1


def angle(a, b):
    """The angle between a and b in degrees, from 0 to 180."""
    return math.degrees(math.acos(cosine(a, b)))


def turned(a, degrees):
    """The vector a (two numbers), turned counterclockwise."""
    radians = math.radians(degrees)
    cos_angle = math.cos(radians)  # turning takes (1, 0) to (cos, sin) and (0, 1) to (-sin, cos)
    sin_angle = math.sin(radians)
    return [cos_angle * a[0] - sin_angle * a[1], sin_angle * a[0] + cos_angle * a[1]]


fixed = [2.0, 1.0]
moving = [1.6, 0.8]  # the same direction, another length
stops = np.arange(0, 361, 5)  # (73,): degrees
products = np.array([dot(turned(moving, stop), fixed) for stop in stops])  # (73,)
by_cosine = norm(fixed) * norm(moving) * np.cos(np.radians(stops))  # (73,)
on_turned_page = [dot(turned(moving, stop + 50), turned(fixed, 50)) for stop in stops]
np.testing.assert_allclose(products, by_cosine, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(products, on_turned_page, rtol=1e-10, atol=1e-12)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.quiver(0, 0, *fixed, **ARROW, color="0.6")
left.text(2.05, 1.0, "b", color="0.4", fontsize=12)
left.axline((0, 0), fixed, color="0.7", linewidth=0.8, zorder=0)
for color, marker, stop in zip(("C0", "C1", "C2"), markers, (40, 90, 150)):
    arrow = turned(moving, stop)
    foot = projection(arrow, fixed)
    left.quiver(0, 0, *arrow, **ARROW, color=color)
    left.plot([arrow[0], foot[0]], [arrow[1], foot[1]], ":", color=color)
    left.plot(*foot, marker, color=color, markersize=8, zorder=4, label=f"projection at {stop}°")
    right.plot(stop, dot(arrow, fixed), marker, color=color, markersize=8, zorder=4)
left.set(xlabel="first entry", ylabel="second entry", aspect="equal", xlim=(-2.4, 2.6), ylim=(-1.1, 2.4))
left.set_title("Three vectors and their projections on b")
left.legend(loc="upper right", fontsize=8)
right.plot(stops, products, color="0.5", zorder=1)
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="angle from b (degrees)", ylabel="dot product with b", xticks=range(0, 361, 90))
right.set_title("The dot product follows the cosine")
plt.show()

# %% [markdown]
# The three markers are the same in both panels. At 40° the projection points along $b$ and the dot
# product is positive, at 90° the projection is a point and the dot product zero, and at 150° both are
# negative. So the cosine measures agreement in direction, whatever the lengths: $1$ for the same
# direction, $0$ for a right angle (the vectors are then called *orthogonal*), $-1$ for opposite
# directions. As a measure of likeness it is called *cosine similarity*.
#
# ## Which birds are alike?
#
# Now we take all four measurements, so each bird is a vector in four dimensions. Nobody can draw it, but
# lengths and angles are computed as before. For each bird we look for the most similar one, by the
# smallest distance (the length of the difference of two vectors) or by the largest cosine. How often is it
# of the same species? The units may matter, because the masses are in grams and vary by hundreds, while
# the lengths are in millimetres and vary by tens. So we try both measures twice, with the numbers as they
# are and scaled so that the largest deviation of each measurement is one.

# %%
scaled = deviations / np.abs(deviations).max(axis=0)  # (n, 4)


def share_of_same_species(vectors, measure):
    """Share of the birds whose most similar bird, by `measure`, is of their species; vectors: (n, 4)."""
    n_same = 0
    for i in range(len(vectors)):
        likeness = measure(vectors, vectors[i])  # (n,)
        likeness[i] = -np.inf  # a bird is not compared with itself
        n_same += labels[likeness.argmax()] == labels[i]
    return n_same / len(vectors)


def nearness(vectors, one):
    """Minus the distance of each row of vectors (n, 4) from one (4,): (n,)."""
    return -np.linalg.norm(vectors - one, axis=1)


def cosines(vectors, one):
    """Cosine of each row of vectors (n, 4) with one (4,): (n,)."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(one)  # (n,)
    return vectors @ one / lengths  # (n, 4) @ (4,) -> (n,): a dot product for each row


likeness_shares = {}
print(f"{'likeness':20s}{'mm and g':>12s}{'scaled':>12s}")
for name, measure in (("distance", nearness), ("cosine", cosines)):
    likeness_shares[name] = [share_of_same_species(vectors, measure) for vectors in (deviations, scaled)]
    print(f"{name:20s}{likeness_shares[name][0]:12.1%}{likeness_shares[name][1]:12.1%}")
by_chance = np.sum((np.bincount(labels) / len(labels)) ** 2)
print(f"{'a bird at random':20s}{by_chance:12.1%}{by_chance:12.1%}")

squares = (deviations**2).mean(axis=0)  # (4,)
mass_share = squares[3] / squares.sum()
mass_entries = np.abs(deviations[:, 3]) / np.linalg.norm(deviations, axis=1)  # (n,): at length one
print(f"unscaled, the mass makes {mass_share:.2%} of the mean squared length", end="")
print(f" and {np.median(mass_entries):.4f} of a typical vector of length one")

# %% [markdown]
# All four are far better than a bird chosen at random, although nothing was trained. Without scaling the
# distance is worse, because the mass makes up almost all of the length and so decides nearly alone. The
# cosine suffers less, since when each vector is divided by its length, the mass becomes about $1$ or $-1$
# for nearly every bird, so it hardly tells birds apart beyond heavy and light, and the small entries are
# left to decide. Since one cannot rely on such luck, measurements are usually scaled first. The same dot
# product decides in lesson 12.2 which words of a sentence attend to each other.
#
# ## A matrix moves vectors
#
# A matrix is a table of numbers, and it can also be seen as a machine that takes a vector and returns
# another one. Its first column says what becomes of $(1, 0)$ and its second what becomes of $(0, 1)$, and
# every other vector is a linear combination of those two and becomes the same combination of the columns:
#
# $$A x = x_1 \,(\text{first column}) + x_2 \,(\text{second column}) + \dots$$
#
# The same numbers come out if we read the matrix by rows: entry $i$ of $Ax$ is the dot product of row $i$
# with $x$. How does such a machine change the plane? We send a whole grid of lines through four matrices.


# %%
def matrix_vector(matrix, vector):
    """Product of `matrix` (a list of m rows of n numbers) and `vector` (n numbers): m numbers."""
    columns = list(zip(*matrix, strict=True))
    return linear_combination(vector, columns)


def matrix_vector_by_rows(matrix, vector):
    """The same, one dot product for each row."""
    return [dot(row, vector) for row in matrix]


matrices = {
    "turn by 30°": np.array([[math.cos(math.pi / 6), -0.5], [0.5, math.cos(math.pi / 6)]]),
    "stretch": np.array([[1.6, 0.0], [0.0, 0.5]]),
    "shear": np.array([[1.0, 1.0], [0.0, 1.0]]),
    "collapse": np.array([[1.0, 2.0], [0.5, 1.0]]),
}
print(f"{'matrix':20s}{'(1, 0)':>16s}{'(0, 1)':>16s}{'(3, 2)':>16s}")
for name, matrix in matrices.items():
    images = [np.round(matrix_vector(matrix, x), 2) for x in ([1, 0], [0, 1], [3, 2])]
    print(f"{name:20s}" + "".join(f"{str(image.tolist()):>16s}" for image in images))
    np.testing.assert_allclose(
        matrix_vector_by_rows(matrix, [3, 2]), matrix_vector(matrix, [3, 2]), rtol=1e-12
    )
    np.testing.assert_allclose(matrix @ [3, 2], matrix_vector(matrix, [3, 2]), rtol=1e-12)  # (2, 2) @ (2,)

# %%
ticks = np.linspace(-2, 2, 9)
lines = [np.array([[t, t], [-2, 2]]) for t in ticks] + [np.array([[-2, 2], [t, t]]) for t in ticks]
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (name, matrix) in zip(axes, matrices.items()):
    for line in lines:
        ax.plot(*line, color="0.85", linewidth=0.8, zorder=0)
        ax.plot(*(matrix @ line), color="C0", linewidth=0.9, alpha=0.7)  # (2, 2) @ (2, 2) -> (2, 2)
    ax.quiver(0, 0, *matrix[:, 0], **ARROW, color="C1", label="image of (1, 0)")
    ax.quiver(0, 0, *matrix[:, 1], **ARROW, color="black", label="image of (0, 1)")
    ax.set(title=name, aspect="equal", xlim=(-4.2, 4.2), ylim=(-3.6, 2.9), xlabel="first entry")
axes[0].set_ylabel("second entry")
axes[1].legend(loc="lower center", fontsize=8)
plt.show()

# %% [markdown]
# The grey grid becomes the blue one, and its lines remain straight, parallel and evenly spaced, because a
# linear combination before the matrix becomes the same combination after it. That is what *linear* means.
# In the last panel the whole plane falls onto one line, because both columns lie on that line. There
# $(2, -1)$ is sent to zero, so all vectors that differ by a multiple of it have the same image, and
# nothing can tell afterwards which of them it was.
#
# ## Tensors
#
# A photo is a table of pixels, and each pixel is a vector of three numbers: how much red, green and blue.
# So a photo has three axes, height, width and channel, and many photos stacked have four. The general name
# for an array of numbers with any number of axes is tensor. A scalar is a tensor with no axis, a vector
# one with one axis and a matrix one with two, and the *shape* says how long each axis is. (To use a photo
# of your own, put its path into the first line below. If it is a colour JPEG, it works as it is, here and
# everywhere in this course. A PNG arrives as numbers from 0 to 1, perhaps with a fourth channel, so take
# `(255 * photo[..., :3]).astype(np.uint8)` of it, and of a grey photo `np.stack([photo] * 3, axis=-1)`.)

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg")  # (H, W, 3) uint8
if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
    raise ValueError(f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (see above)")
batch = np.stack([photo, photo[:, ::-1], photo[::-1]])  # (3, H, W, 3): as it is, mirrored, upside down
objects = {
    "scalar": photo[0, 0, 0],
    "vector": photo[0, 0],
    "matrix": photo[:, :, 0],
    "tensor, one photo": photo,
    "tensor, three photos": batch,
}
print(f"{'object':24s}{'axes':>6s}{'numbers':>12s}   shape")
for name, array in objects.items():
    print(f"{name:24s}{array.ndim:6d}{array.size:12,d}   {array.shape}")

# %% [markdown]
# How bright is a pixel? A common recipe is a dot product of its three channels with three weights that
# add up to one. Green counts most, because the eye is most sensitive to it. `@` takes this dot product
# along the last axis, for all pixels at once, so that axis disappears.

# %%
weights = np.array([0.299, 0.587, 0.114])  # (3,)
gray = photo @ weights  # (H, W, 3) @ (3,) -> (H, W)
np.testing.assert_allclose(gray[0, 0], dot(photo[0, 0], weights), rtol=1e-10)
means = photo.mean(axis=(0, 1))  # (3,): over all pixels, one number for each channel
print(f"average red {means[0]:.0f}, green {means[1]:.0f}, blue {means[2]:.0f}, gray {gray.mean():.0f}")

fig, axes = plt.subplots(1, 5, figsize=(14, 2.8), layout="constrained")
axes[0].imshow(photo)
axes[0].set_title(" × ".join(map(str, photo.shape)))
for channel, name in enumerate(("red", "green", "blue")):
    axes[channel + 1].imshow(photo[:, :, channel], cmap="gray", vmin=0, vmax=255)
    axes[channel + 1].set_title(f"channel {channel}: {name}")
axes[4].imshow(gray, cmap="gray", vmin=min(0, gray.min()), vmax=max(255, gray.max()))
axes[4].set_title("gray = photo @ weights")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The table is brown, so its red channel is the brightest and its blue channel the darkest. The gray
# picture is a linear combination of the three with weights that add up to one, so each of its numbers
# lies between the smallest and the largest of the three channels.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert len(np.unique(reached, axis=0)) == 81, "each pair of amounts of u and v has its own point"
assert np.all(on_a_line[:, 0] == on_a_line[:, 1]), "two vectors on one line never leave it"
distance_shares = likeness_shares["distance"]
cosine_shares = likeness_shares["cosine"]
assert min(*distance_shares, *cosine_shares) > 2 * by_chance, "all measures are far better than chance"
assert distance_shares[1] > distance_shares[0] + 0.05, "without scaling the distance is worse"
assert cosine_shares[0] > distance_shares[0] + 0.05, "the cosine suffers less"
assert mass_share > 0.99, "unscaled, the mass makes up almost all of the length"
assert np.mean(mass_entries > 0.99) > 0.9, "divided by the length, the mass is about 1 or −1 for most birds"
assert matrix_vector(matrices["collapse"], [2, -1]) == [0, 0], "the collapse sends (2, −1) to zero"
assert [array.ndim for array in objects.values()] == [0, 1, 2, 3, 4], "the objects have 0 to 4 axes"
assert means[0] > means[1] > means[2], "the photo is brightest in red and darkest in blue"

# %% [markdown]
# ## Going further
#
# This can be skipped, and no later lesson needs it. It counts how many dimensions a matrix leaves, which
# tells how much a table of data really contains.
#
# ### Rank: the dimensions that are left
#
# The *rank* of a matrix is the number of dimensions that its columns span. Projections can count them, if
# we take the columns one at a time and remove from each its projections on the directions found so far. If
# something is left, it is a new direction. If nothing is left, the column was a linear combination of the
# others. Because of rounding, "nothing" means a ten-billionth of the column here.


# %%
def rank(matrix, tolerance=1e-10):
    """How many dimensions the columns of `matrix` (m, n) span."""
    directions = []
    for column in np.asarray(matrix, dtype=float).T:
        rest = column
        for direction in directions:
            rest = rest - projection(rest, direction)
        if norm(rest) > tolerance * norm(column):
            directions.append(rest / norm(rest))
    return len(directions)


bill, flipper = measurements[:, 0], measurements[:, 2]  # each (n,)
wider = np.column_stack([measurements, bill / 10, bill + flipper])  # (n, 6)
ranks = {name: rank(matrix) for name, matrix in matrices.items()}
ranks["penguins, 4 columns"] = rank(measurements)
ranks["penguins, 6 columns"] = rank(wider)
for name, dimensions in ranks.items():
    print(f"{name:24s}rank {dimensions}")

# %% [markdown]
# Only the collapse loses a dimension. The wider table of penguins has two more columns, the bill in
# centimetres and the sum of bill and flipper, and still the rank of the first, because both are
# combinations of columns that were there already.

# %%
assert all(ranks[name] == np.linalg.matrix_rank(matrix) for name, matrix in matrices.items()), "as in NumPy"
assert ranks["collapse"] == 1, "the collapse leaves one dimension"
assert ranks["penguins, 6 columns"] == 4, "two columns made from others add no dimension"

# %% [markdown]
# ## What to remember
#
# - Scalar, vector, matrix, tensor: no axis, one, two, any number of axes. The shape says how long they
#   are.
# - The dot product is positive if two vectors agree in direction, zero at a right angle, and negative if
#   they are opposed. Divided by both lengths it is the cosine of the angle.
# - A linear combination is a number times one vector plus a number times another.
# - The columns of a matrix say what becomes of the axes. The product with a vector is a linear
#   combination of the columns, or a dot product for each row.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Give the birds their mass in kilograms and their lengths in millimetres:
#    `scaled = deviations / np.array([1, 1, 1, 1000])`. Which measurement decides now, and will the
#    distance do better or worse than with grams? Look at the right column of the table of likeness.
# 2. Put a mirror in the place of the shear: `"mirror": np.array([[0.0, 1.0], [1.0, 0.0]]),`. Where will
#    the two arrows point? Is it a turn? Look at the figure of the four matrices.
# 3. In a blank cell at the end: compute the mean of `scaled` for each species, and for each bird the
#    cosine with the three means. For how many birds is the mean of its own species the most similar?
#    Compare with the table of likeness.
#
# ## Sources
#
# - G. Strang, _Introduction to Linear Algebra_, 6th edition, 2023, chapters 1 and 3: combinations of
#   columns.
# - G. Sanderson, _Essence of linear algebra_, 2016: the idea of watching the grid move.
# - ITU-R Recommendation BT.601: the weights of red, green and blue.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
# - R. Michetti, Pikolo Espresso Bar: the photograph, from scikit-image.
