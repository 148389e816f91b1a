# %% [markdown]
# # 2.2 Tensor operations: how shapes combine, and what a matrix product is
#
# A network has a handful of operations and repeats them millions of times: add, multiply, sum along an
# axis, multiply matrices. Two things can go wrong with them. Arrays whose shapes should not fit together
# may combine all the same, without a word, and then the result is wrong. And the same sums can take a
# hundred times longer than they need to. Both are questions of shape and of memory, and everybody who
# trains networks, on a laptop or on a thousand GPUs, meets them every day.
#
# **You will build** the rule by which shapes combine, the layout of an array in memory, and the matrix
# product in four ways that give the same numbers. **You need** vectors, matrices and tensors (2.1).

# %%
import csv
import itertools
import time
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two matrices of the same shape are added *elementwise*, entry by entry, and `*` multiplies them
# elementwise, too. The *matrix product*, `@` in Python, is another operation: each row of the first meets
# each column of the second in a dot product (2.1).
#
# $$\begin{aligned}
#   \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} * \begin{pmatrix} 5 & 6 \\ 7 & 8 \end{pmatrix} &=
#   \begin{pmatrix} 1 \cdot 5 & 2 \cdot 6 \\ 3 \cdot 7 & 4 \cdot 8 \end{pmatrix} =
#   \begin{pmatrix} 5 & 12 \\ 21 & 32 \end{pmatrix} \\
#   \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \begin{pmatrix} 5 & 6 \\ 7 & 8 \end{pmatrix} &=
#   \begin{pmatrix} 1 \cdot 5 + 2 \cdot 7 & 1 \cdot 6 + 2 \cdot 8 \\
#   3 \cdot 5 + 4 \cdot 7 & 3 \cdot 6 + 4 \cdot 8 \end{pmatrix} =
#   \begin{pmatrix} 19 & 22 \\ 43 & 50 \end{pmatrix}
# \end{aligned}$$
#
# So the rows of the first matrix must be as long as the columns of the second, and the product of shapes
# $(n, m)$ and $(m, p)$ has the shape $(n, p)$.

# %%
a = np.array([[1, 2], [3, 4]])
b = np.array([[5, 6], [7, 8]])
print(f"a * b\n{a * b}\na @ b\n{a @ b}")  # (2, 2) @ (2, 2) -> (2, 2)
assert (a * b).tolist() == [[5, 12], [21, 32]] and (a @ b).tolist() == [[19, 22], [43, 50]]

# %% [markdown]
# ## Elementwise operations
#
# On a photo the simple operations can be watched. What will you see if all its numbers are multiplied by
# $0.4$, if it is averaged with its mirror image, and if it is multiplied by a table of zeros and ones?
# (Lesson 2.1 says what to change for a photo of your own.)

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg")  # (H, W, 3) uint8
if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
    raise ValueError(
        f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
    )
photo = photo / 255  # (H, W, 3): 0 is dark, 1 is bright
height, width, _ = photo.shape
rows, columns = np.mgrid[:height, :width]  # each (H, W): for every pixel the number of its row, its column
mask = (rows - 150) ** 2 + (columns - 330) ** 2 < 150**2  # (H, W): true within 150 pixels of a point
results = {
    "0.4 · photo": 0.4 * photo,
    "½ photo + ½ mirrored": 0.5 * photo + 0.5 * photo[:, ::-1],
    "photo · mask": photo * mask[:, :, None],  # (H, W, 3) * (H, W, 1) -> (H, W, 3)
}

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, result) in zip(axes, results.items()):
    ax.imshow(result)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# A factor makes the photo darker, an average lays two photos over each other, and a *mask* of zeros and
# ones keeps a part and sets the rest to zero. Networks use masks to switch parts of a signal off (8.1,
# 12.2).
#
# ## Broadcasting
#
# The mask had the shape $(H, W, 1)$, with an axis of length one that `None` inserted, and the photo
# $(H, W, 3)$. They could be multiplied because of *broadcasting*, a rule that lines two shapes up at
# their right ends. A missing axis counts as one of length one. Two lengths fit if they are equal or if
# one of them is one, and an axis of length one is read again and again.


# %%
def broadcast_shape(a, b):
    """Shape of x + y for arrays of shapes a and b (tuples); raises ValueError if they do not fit."""
    longest = max(len(a), len(b))
    padded_a = (1,) * (longest - len(a)) + a
    padded_b = (1,) * (longest - len(b)) + b
    out = []
    for m, n in zip(padded_a, padded_b):
        if m != n and 1 not in (m, n):
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        out.append(n if m == 1 else m)
    return tuple(out)


def outcome(function, *arguments):
    """What function(*arguments) returns, or "refused" if it raises ValueError."""
    try:
        return function(*arguments)
    except ValueError:
        return "refused"


# every shape with up to three axes of length zero to three, and every pair of such shapes
shapes = [shape for n_axes in range(4) for shape in itertools.product(range(4), repeat=n_axes)]
pairs = list(itertools.product(shapes, shapes))
ours = [outcome(broadcast_shape, *pair) for pair in pairs]
numpys = [outcome(np.broadcast_shapes, *pair) for pair in pairs]
print(f"(3, 1) with (4,) gives {broadcast_shape((3, 1), (4,))}")
print(f"{len(pairs):,} pairs of shapes, {ours.count('refused'):,} of them refused")
print(f"the same answers as NumPy's: {ours == numpys}")
assert ours == numpys

# %%
column = np.array([[0], [10], [20]])  # (3, 1)
row = np.array([1, 2, 3, 4])  # (4,)
tables = {
    "shape (3, 1)": np.broadcast_to(column, (3, 4)),
    "plus shape (4,)": np.broadcast_to(row, (3, 4)),
    "gives shape (3, 4)": column + row,  # (3, 1) + (4,) -> (3, 4)
}
in_memory = [  # each (3, 4): true where a number exists, false where it is read again
    np.arange(4) == np.zeros((3, 1)),  # (4,) with (3, 1): true in the first column
    np.arange(3)[:, None] == np.zeros(4),  # (3, 1) with (4,): true in the first row
    np.ones((3, 4), dtype=bool),
]
fig, axes = plt.subplots(1, 3, figsize=(14, 2.8), layout="constrained")
for ax, (title, numbers), real in zip(axes, tables.items(), in_memory):
    ax.imshow(real, cmap="Blues", vmin=0, vmax=4)
    for i, j in np.ndindex(3, 4):  # every pair of a row number and a column number
        color = "black" if real[i, j] else "0.65"
        ax.text(j, i, numbers[i, j], ha="center", va="center", fontsize=14, color=color)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The numbers on blue exist in memory, and those in grey are the same numbers, read again without being
# copied.
#
# ## The trap: (n,) against (n, 1)
#
# A model often returns its predictions as a column, $(n, 1)$, while the right answers come as a plain
# list, $(n,)$. How wrong the predictions are is measured by the *mean squared error* (MSE): subtract,
# square, and take the mean. Below, the predictions are perfect. Which error do you expect, and which
# shape has the difference?

# %%
COLUMNS = ("flipper_length_mm",)
SPECIES = ("Gentoo",)

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

targets = measurements[:, 0]  # (n,)
predictions = measurements  # (n, 1): perfect
intended = predictions[:, 0] - targets  # (n,) - (n,) -> (n,)
trapped = predictions - targets  # (n, 1) - (n,) -> (n, n)
print(f"(n,) − (n,):    shape {intended.shape}, mean squared error {np.mean(intended**2):.2f}")
print(f"(n, 1) − (n,):  shape {trapped.shape}, mean squared error {np.mean(trapped**2):.2f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(intended, "o", markersize=3)
left.set(xlabel="bird", ylabel="prediction − target (mm)", ylim=(-30, 30))
left.set_title("(n,) − (n,): one difference for each bird")
image = right.imshow(trapped, cmap="RdBu", vmin=-30, vmax=30)
right.set(xlabel="target of bird", ylabel="prediction for bird")
right.set_title("(n, 1) − (n,): every bird against every bird")
fig.colorbar(image, label="difference (mm)")
plt.show()

# %% [markdown]
# In the right panel each prediction has met each target, by the rule of broadcasting. Only the diagonal
# is what was meant, but there is no error message, and the mean is taken over thousands of differences
# that mean nothing. So it is wise to compare shapes before subtracting, as every loss in this course
# does.


# %%
def mean_squared_error(predictions, targets):
    """Mean of squared differences; raises ValueError if the shapes differ, even if they broadcast."""
    if predictions.shape != targets.shape:
        raise ValueError(f"predictions have shape {predictions.shape} but targets {targets.shape}")
    return np.mean((predictions - targets) ** 2)


print(outcome(mean_squared_error, predictions, targets), mean_squared_error(predictions[:, 0], targets))
assert outcome(mean_squared_error, predictions, targets) == "refused"

# %% [markdown]
# ## Sums along an axis
#
# Each of `sum`, `mean` and `max` is a *reduction*: the axis that you name disappears. In a table of shape
# $(2, 3)$, `axis=0` runs down the columns and leaves $(3,)$, and `axis=1` runs along the rows and leaves
# $(2,)$. With `keepdims=True` the axis stays, with length one, so that the result broadcasts against the
# table.

# %%
table = np.array([[1.0, 2.0, 6.0], [4.0, 5.0, 0.0]])  # (2, 3)
shares = table / table.sum(axis=1, keepdims=True)  # (2, 3) / (2, 1) -> (2, 3)
print(f"axis 0: {table.sum(axis=0)}   axis 1: {table.sum(axis=1)}   both: {table.sum()}")
print(f"rows of shares add up to {shares.sum(axis=1)}")
assert table.sum(axis=0).tolist() == [5, 7, 6] and table.sum(axis=1).tolist() == [9, 9]
# without keepdims the shapes do not fit (and those of a square table would, with a wrong result)
assert outcome(np.broadcast_shapes, (2, 3), (2,)) == "refused"

# %% [markdown]
# Each row was divided by its own sum, which without `keepdims` would have been refused.
#
# ## An array in memory
#
# In memory an array is one long line of numbers, together with a recipe for reading it: the shape, and
# for each axis the *stride*, which says how many places to move for one step along that axis. In
# *row-major* order, which is NumPy's default, the last axis has the stride one, and every other axis
# steps over everything that is inside it.


# %%
def row_major_strides(shape):
    """Places to move for one step along each axis, in row-major order."""
    strides = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def read(memory, strides, index):
    """The entry at `index`, one number for each axis, of an array laid out in the flat `memory`."""
    return memory[sum(step * i for step, i in zip(strides, index, strict=True))]


memory = np.arange(12)
table = memory.reshape(3, 4)  # (12,) -> (3, 4)
print(f"strides {row_major_strides((3, 4))}, so entry [2, 1] is at place 2 · 4 + 1 · 1\n{table}")
assert read(memory, row_major_strides((3, 4)), (2, 1)) == table[2, 1] == 9
assert tuple(stride // table.itemsize for stride in table.strides) == row_major_strides((3, 4))

# %% [markdown]
# The *transpose* of a matrix, `.T`, turns rows into columns. It needs no copy, because swapping the
# strides is enough, and `reshape` needs none, either, if new strides can describe the result. Both return
# a *view*, another recipe for the same numbers, so writing through a view changes the original, too. If
# no strides can describe the result, `reshape` has to make a *copy*.

# %%
flipped = table.T  # (3, 4) -> (4, 3)
flat = flipped.reshape(12)  # (4, 3) -> (12,): column by column through the line, which no stride can do
print(f"transposed: strides {tuple(stride // table.itemsize for stride in flipped.strides)}")
print(f"shares its memory: the transpose {np.shares_memory(memory, flipped)}, its flat form ", end="")
print(np.shares_memory(memory, flat))
flipped[0, 2] = -1
print(f"after flipped[0, 2] = -1 the line is {memory.tolist()}")
assert memory[8] == -1

# %% [markdown]
# A transpose and a reshape to the same shape are therefore different things. What will the two make of
# the photo?

# %%
transposed = photo.transpose(1, 0, 2)  # (H, W, 3) -> (W, H, 3)
reshaped = photo.reshape(width, height, 3)  # (H, W, 3) -> (W, H, 3)
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
pictures = {"photo": photo, "transpose(1, 0, 2)": transposed, "reshape(W, H, 3)": reshaped}
for ax, (name, picture) in zip(axes, pictures.items()):
    ax.imshow(picture)
    ax.set(title=f"{name}: {picture.shape[0]} × {picture.shape[1]}", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The transpose moves the axes, so the photo is flipped over its diagonal. The reshape reads the same line
# of memory and breaks it into rows at other places, so the pixels of one row of the photo end up in two.
#
# ## The matrix product in four ways
#
# For $A$ of shape $(n, m)$ and $B$ of shape $(m, p)$ there are several ways to see $C = AB$. One entry is
# a row of $A$ times a column of $B$. One column of $C$ is $A$ times that column of $B$, so it is a linear
# combination of the columns of $A$ (2.1). And a column of $A$ times a row of $B$ gives a whole table,
# their *outer product*; the sum of these tables is $C$, too.
#
# $$C_{ij} = \sum_k A_{ik} B_{kj}, \qquad C_{:j} = \sum_k B_{kj}\, A_{:k}, \qquad
#   C = \sum_k A_{:k}\, B_{k:} .$$


# %%
def three_loops(a, b):
    """Matrix product of lists of rows, (n, m) by (m, p), number by number; ValueError if m differs."""
    if len(a[0]) != len(b):
        raise ValueError(f"rows of {len(a[0])} numbers cannot meet columns of {len(b)}")
    n, m, p = len(a), len(b), len(b[0])
    out = [[0.0] * p for _ in range(n)]
    for i in range(n):
        for j in range(p):
            for k in range(m):
                out[i][j] += a[i][k] * b[k][j]
    return out


def dot_products(a, b):
    """Matrix product entry by entry: row i of a (n, m) with column j of b (m, p)."""
    return np.array([[row @ column for column in b.T] for row in a])  # (m,) @ (m,) -> ()


def column_mix(a, b):
    """Matrix product column by column: each is a combination of the columns of a (n, m)."""
    return np.stack([a @ column for column in b.T], axis=1)  # (n, m) @ (m,) -> (n,), p of them -> (n, p)


def outer_sum(a, b):
    """Matrix product as a sum of outer products: column k of a (n, m) times row k of b (m, p)."""
    out = np.zeros((len(a), b.shape[1]), dtype=np.result_type(a, b))  # float32 stays float32
    for column, row in zip(a.T, b, strict=True):
        out += column[:, None] * row  # (n, 1) * (p,) -> (n, p)
    return out


for n, m, p in ((1, 1, 1), (1, 7, 1), (5, 1, 3), (2, 3, 11)):
    a = rng.normal(size=(n, m))
    b = rng.normal(size=(m, p))
    product = a @ b  # (n, m) @ (m, p) -> (n, p)
    np.testing.assert_allclose(three_loops(a.tolist(), b.tolist()), product, rtol=1e-10, atol=1e-12)
    for way in (dot_products, column_mix, outer_sum):
        np.testing.assert_allclose(way(a, b), product, rtol=1e-10, atol=1e-12)
print("three loops, dot products, column mix and outer sum are all equal to @")

# %%
n, m, p = 4, 3, 5
every = slice(None)  # as an index it means ":", all of an axis
ways = {  # title: which part of A, of B and of AB is shown dark
    "one entry: row times column": ((2, every), (every, 3), (2, 3)),
    "one column: a combination of columns": ((every, every), (every, 3), (every, 3)),
    f"one of {m} outer products": ((every, 1), (1, every), (every, every)),
}
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (title, (in_a, in_b, in_c)) in zip(axes, ways.items()):
    canvas = np.full((m + 1 + n, m + 1 + p), np.nan)  # A below left, B above right, AB below right
    parts = [canvas[m + 1 :, :m], canvas[:m, m + 1 :], canvas[m + 1 :, m + 1 :]]  # views of the canvas
    for part, chosen, shade in zip(parts, (in_a, in_b, in_c), (1.0, 1.0, 2.0)):
        part[:] = 0.2
        part[chosen] = shade
    ax.pcolormesh(canvas, cmap="Blues", vmin=0, vmax=3, edgecolors="white", linewidth=2)
    for name, x, y in (("A", m / 2, m + 0.5), ("B", m + 0.5, m / 2), ("AB", m + 1 + p / 2, m + 0.5)):
        ax.text(x, y, name, ha="center", va="center", fontsize=13)
    ax.set(title=title, aspect="equal")
    ax.invert_yaxis()
    ax.axis("off")
plt.show()

# %% [markdown]
# In each panel the dark parts of $A$ and $B$ give the dark part of $AB$: one entry, one column, or a
# table that covers all of $AB$ and is one of the $m$ tables to be added.
#
# There is a fourth way to see the product. A matrix is a machine that moves vectors (2.1), so $AB$ is two
# machines in a row, first $B$ and then $A$. Does the order matter?

# %%
turn = np.array([[0, -1], [1, 0]])  # a quarter of a turn, counterclockwise
shear = np.array([[1, 1], [0, 1]])
vector = np.array([2, 1])
print(f"turn, then shear: {shear @ (turn @ vector)}, in one product {(shear @ turn) @ vector}")
print(f"shear, then turn: {turn @ (shear @ vector)}, in one product {(turn @ shear) @ vector}")
assert np.array_equal((shear @ turn) @ vector, shear @ (turn @ vector))  # (2, 2) @ (2, 2) @ (2,) -> (2,)

# %% [markdown]
# It does, because the other order gives another vector. In either order the product of the two matrices
# does in one step what they do in a row.
#
# ## Many products at once
#
# `@` works on the last two axes. All axes before them only number the products, and they broadcast by the
# rule above. `einsum` writes any such sum with letters. Each axis gets a letter. Axes with the same
# letter have the same length and are run through together, with one index, and a letter that is missing
# on the right of the arrow is summed over. The matrix product $\sum_k A_{ik} B_{kj}$ is `ik,kj->ij`, and
# a layer of neurons with inputs (b, i) and weights (o, i) is `bi,oi->bo`.

# %%
a = rng.normal(size=(32, 5, 3))  # (B, n, m)
b = rng.normal(size=(32, 3, 4))  # (B, m, p)
batched = a @ b  # (B, n, m) @ (B, m, p) -> (B, n, p)
shared = a @ b[0]  # (B, n, m) @ (m, p) -> (B, n, p)
np.testing.assert_allclose(batched, [one @ other for one, other in zip(a, b)], rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(shared[7], a[7] @ b[0], rtol=1e-10, atol=1e-12)  # (n, m) @ (m, p) -> (n, p)
print(f"batched {batched.shape}, one b for all {shared.shape}")

x = rng.normal(size=5)
y = rng.normal(size=5)
c = rng.normal(size=(5, 3))
inputs = rng.normal(size=(7, 3))
weights = rng.normal(size=(2, 3))
sums = {
    "i,i->": ((x, y), x @ y),  # dot product: (5,) @ (5,) -> ()
    "i,j->ij": ((x, y), x[:, None] * y),  # outer product: (5, 1) * (5,) -> (5, 5)
    "ij->i": ((c,), c.sum(axis=1)),
    "ij->ji": ((c,), c.T),
    "bij,bjk->bik": ((a, b), batched),
    "bi,oi->bo": ((inputs, weights), inputs @ weights.T),  # (7, 3) @ (3, 2) -> (7, 2)
    "hwc->c": ((photo,), photo.sum(axis=(0, 1))),
}
for letters, (arrays, expected) in sums.items():
    print(f"{letters:20s}{' '.join(str(array.shape) for array in arrays):30s}-> {np.shape(expected)}")
    np.testing.assert_allclose(np.einsum(letters, *arrays), expected, rtol=1e-10, atol=1e-12)

# %% [markdown]
# In each line of the table the letters on the left of the arrow stand for the axes of the inputs and those
# on its right for the axes of the result. `ij->i` has lost the `j`, so it is a sum along each row, and
# `hwc->c` adds up all the pixels of each channel. All of them agree with the plain NumPy expression.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert np.array_equal(results["photo · mask"][mask], photo[mask]), "inside the mask the photo is kept"
assert not results["photo · mask"][~mask].any(), "outside the mask there are zeros"
assert tables["shape (3, 1)"].strides[1] == 0, "an axis of length one is read again by a step of zero"
assert np.mean(intended**2) == 0, "the mean squared error of perfect predictions is zero"
assert np.mean(trapped**2) > 50, "in the trap it is large"
np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-10, err_msg="each row of shares adds up to one")
assert np.shares_memory(memory, flipped), "a transpose is a view"
assert not np.shares_memory(memory, flat), "here reshape has to copy"
assert np.array_equal(reshaped.ravel(), photo.ravel()), "a reshape keeps the order of the numbers"
assert not np.array_equal(transposed, reshaped), "a transpose does not"
assert not np.array_equal(shear @ turn, turn @ shear), "the order of two matrices matters"

# %% [markdown]
# ## Going further
#
# This can be skipped at first. It shows why `@` is so much faster than loops, which lesson 4.5 (GPUs) and
# the fast forms of later lessons build on.
#
# ### The same, faster
#
# All ways of the product do the same $2nmp$ additions and multiplications. How much does it matter who
# does them? We time each on square matrices, several rounds in turn, and keep the *median*, the middle
# one of the times. A GFLOP/s is a thousand million operations per second. The three loops get the small
# size only.


# %%
def median_seconds(tasks, rounds=3):
    """Median time of each of `tasks` (name -> function without arguments), run in turn."""
    times = {name: [] for name in tasks}
    for name in [*tasks, *list(tasks) * rounds]:  # the first time round is a warm-up
        start = time.perf_counter()
        tasks[name]()
        times[name].append(time.perf_counter() - start)
    return {name: float(np.median(spent[1:])) for name, spent in times.items()}


speeds = {}  # size -> {way: GFLOP/s}
print(f"{'way':20s}{'size':>12s}{'ms':>12s}{'GFLOP/s':>12s}")
for size in (64, 256):
    a, b = rng.normal(size=(2, size, size))
    tasks = {
        "dot_products": partial(dot_products, a, b),  # a function that calls dot_products(a, b)
        "outer_sum": partial(outer_sum, a, b),
        "column_mix": partial(column_mix, a, b),
        "@": partial(np.matmul, a, b),
    }
    if size == 64:
        rows_a = a.tolist()
        rows_b = b.tolist()
        tasks = {"three_loops": partial(three_loops, rows_a, rows_b)} | tasks
    seconds = median_seconds(tasks)
    speeds[size] = {name: 2 * size**3 / spent / 1e9 for name, spent in seconds.items()}
    for name, spent in seconds.items():
        print(f"{name:20s}{size:12d}{1000 * spent:12.3g}{speeds[size][name]:12.3g}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
way_names = list(speeds[64])
for (size, speed), offset, marker, color in zip(speeds.items(), (-0.12, 0.12), "os", ("C0", "C1")):
    for name, value in speed.items():
        place = way_names.index(name) + offset
        ax.plot([1e-3, value], [place, place], color=color, linewidth=1)
        ax.plot(value, place, marker, color=color, label=f"{size} × {size}" if name == "@" else None)
ax.set(xscale="log", xlabel="GFLOP/s", yticks=range(5), yticklabels=way_names)
ax.set_title("Speed of five ways to multiply two matrices")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# Between the three loops and `@` there are usually two to four powers of ten, although both do the same
# arithmetic. There are four reasons, which we do not measure one by one. First, Python handles each
# number as an object of its own, while compiled code runs through memory. Second, a processor can work on
# two to sixteen neighbouring numbers in one instruction. Third, a library may spread a large product over
# all cores of the processor, and fourth, it uses each number several times while that number is in the
# fast memory near the processor.
#
# ### Memory order
#
# Memory arrives in stretches of neighbouring numbers, each of which is called a *cache line*. Along a row
# every number that arrives is used. Down a column each step fetches a whole stretch for one number. Both
# functions below add the same numbers. Which order is faster?


# %%
def row_by_row(matrix):
    """Sum of all entries, one row after the other."""
    return sum(row.sum() for row in matrix)


def column_by_column(matrix):
    """Sum of all entries, one column after the other."""
    return sum(column.sum() for column in matrix.T)


big = rng.normal(size=(2048, 2048))
tasks = {"row_by_row": lambda: row_by_row(big), "column_by_column": lambda: column_by_column(big)}
for name, spent in median_seconds(tasks).items():
    print(f"{name:20s}{1000 * spent:12.3g} ms{big.nbytes / spent / 1e9:12.3g} GB/s")
np.testing.assert_allclose(row_by_row(big), column_by_column(big), rtol=1e-9)

# %% [markdown]
# The order of the memory, row by row, is usually several times faster.
#
# ### Blocks
#
# Arithmetic is faster than memory, so a number that has been fetched should be used often. A matrix
# product uses each number many times, but `column_mix` reads all of $A$ for each column of $B$, and a
# large $A$ does not fit into the fast memory near the processor. If we take a few rows of $A$, a *block*,
# and finish them with all columns before going on, the arithmetic is the same, and the block stays near.


# %%
def row_blocks(a, b, size):
    """Matrix product of (n, m) and (m, p), `size` rows of a at a time."""
    if size < 1 or len(a) < 1:
        raise ValueError(f"blocks of {size} rows of an array of shape {a.shape}: both need at least one row")
    blocks = [column_mix(a[i : i + size], b) for i in range(0, len(a), size)]
    return np.concatenate(blocks)  # n / size times (size, p) -> (n, p)


a, b = rng.normal(size=(2, 1024, 1024))
b = np.asfortranarray(b)  # the same numbers, stored column by column
np.testing.assert_allclose(row_blocks(a, b, 64), a @ b, rtol=1e-8, atol=1e-8)
tasks = {"column_mix": lambda: column_mix(a, b), "row_blocks of 64": lambda: row_blocks(a, b, 64)}
tasks["@"] = lambda: a @ b
for name, spent in median_seconds(tasks, rounds=1).items():
    print(f"{name:20s}{1000 * spent:12.3g} ms{2 * 1024**3 / spent / 1e9:12.3g} GFLOP/s")

# %% [markdown]
# On the machine on which this was written the blocks took about half the time, and `@`, which cuts all
# three axes into blocks, was faster still. So write the work of a network as few large matrix products,
# and leave their order to the library.
#
# ## What to remember
#
# - Shapes are lined up at the right. Two lengths fit if they are equal or one of them is one. By this
#   rule $(n,)$ fits $(n, 1)$, and the result is $(n, n)$.
# - The axis named in a reduction disappears; `keepdims` keeps it with length one.
# - An array is a line of numbers with strides. A transpose is a view; a reshape is one if strides can
#   describe it.
# - A matrix product is rows by columns, combinations of columns, a sum of outer products, or two machines
#   in a row.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Put another column into the figure of broadcasting: `column = np.array([0, 10, 20])`, without the
#    inner brackets. What will happen in the cell that draws it, and why?
# 2. Make `big` column-major, `big = np.asfortranarray(rng.normal(size=(2048, 2048)))`. Which order is
#    faster now? Look at the two lines that are printed.
# 3. In a blank cell at the end: compute the mean of each channel of the batch
#    `np.stack([photo, photo[::-1]])`, of shape (B, H, W, 3), for each photo of the batch, with one
#    `einsum` and one division. Compare it with `mean(axis=(1, 2))`.
#
# ## Sources
#
# - C. R. Harris et al., "Array programming with NumPy", _Nature_ 585, 2020: strides, views, broadcasting.
#   Reproduced: "a transpose is a view".
# - G. Strang, _Introduction to Linear Algebra_, 6th edition, 2023, section 1.4: the ways to multiply.
# - G. H. Golub, C. F. Van Loan, _Matrix Computations_, 4th edition, 2013, chapter 1: loops, levels,
#   blocks.
# - K. Goto, R. A. van de Geijn, "Anatomy of high-performance matrix multiplication", _ACM TOMS_ 34, 2008.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data. R. Michetti, Pikolo Espresso
#   Bar: the photograph, from scikit-image.
