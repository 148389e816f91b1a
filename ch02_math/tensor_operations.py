# %% [markdown]
# # 2.2 Tensor operations: a handful of moves, done fast
#
# A kitchen has a few moves, cutting, mixing, heating, and thousands of dishes. A network is like that:
# add, scale, sum along an axis, multiply matrices, and very little else, millions of times. Two things go
# wrong with these moves. Shapes that should not fit do, silently; and the same sum can take hundreds of
# times longer than it needs to.
#
# **You will build** the rule by which shapes combine, matrix multiplication in every way one can see it,
# and a ladder from three loops to `@`. **You need** vectors and matrices (2.1).

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
# Two tables of the same shape add entry by entry, and multiply entry by entry. The *matrix product* is
# another thing: every row of the first meets every column of the second in a dot product. Top left:
# $1 \cdot 5 + 2 \cdot 7 = 19$.
#
# $$\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \begin{pmatrix} 5 & 6 \\ 7 & 8 \end{pmatrix} =
#   \begin{pmatrix} 19 & 22 \\ 43 & 50 \end{pmatrix} .$$

# %%
a, b = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
print(f"a + b\n{a + b}\na * b, entry by entry\n{a * b}\na @ b, rows by columns\n{a @ b}")  # (2, 2) @ (2, 2)
assert (a * b).tolist() == [[5, 12], [21, 32]] and (a @ b).tolist() == [[19, 22], [43, 50]]

# %% [markdown]
# ## Entry by entry
#
# On a photo you can watch the simple moves. Scaling dims it. Adding two photos, half of each, lays one
# over the other. The elementwise product with a table of zeros and ones keeps what it is told to keep:
# that is how networks switch parts of a signal off.

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg") / 255  # (H, W, 3): 0 is dark, 1 is bright
height, width, _ = photo.shape
rows, columns = np.mgrid[:height, :width]  # each (H, W)
spotlight = (rows - 150) ** 2 + (columns - 330) ** 2 < 150**2  # (H, W)
moves = {
    "0.4 · photo": 0.4 * photo,
    "½ photo + ½ mirrored": 0.5 * photo + 0.5 * photo[:, ::-1],
    "photo · mask": photo * spotlight[:, :, None],  # (H, W, 3) * (H, W, 1) -> (H, W, 3)
}
assert np.array_equal(moves["photo · mask"][150, 330], photo[150, 330])  # inside
assert not moves["photo · mask"][~spotlight].any()  # outside

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, result) in zip(axes, moves.items()):
    ax.imshow(result)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("Scaling dims, adding overlays, multiplying by a mask selects")
plt.show()

# %% [markdown]
# ## Broadcasting
#
# The mask had one channel and the photo three, and they multiplied all the same. *Broadcasting* lines two
# shapes up at their right ends. A missing axis counts as length one. Two lengths fit if they are equal or
# one of them is one, and an axis of length one is read again and again.


# %%
def broadcast_shape(a, b):
    """Shape of x + y for arrays of shapes a and b (tuples); raises ValueError where they do not fit."""
    longest = max(len(a), len(b))
    out = []
    for m, n in zip((1,) * (longest - len(a)) + a, (1,) * (longest - len(b)) + b):
        if m != n and 1 not in (m, n):
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        out.append(n if m == 1 else m)
    return tuple(out)


print(f"(3, 1) with (4,) gives {broadcast_shape((3, 1), (4,))}")
assert broadcast_shape((3, 1), (4,)) == (3, 4)

# %% [markdown]
# Is that NumPy's rule? We try every pair of shapes with up to three axes of length zero to three, and
# expect the same shape or the same refusal.

# %%
shapes = [shape for axes in range(4) for shape in itertools.product(range(4), repeat=axes)]


def outcome(rule, *shapes):
    """What `rule` answers for these shapes, or "refused"."""
    try:
        return rule(*shapes)
    except ValueError:
        return "refused"


pairs = list(itertools.product(shapes, shapes))
ours = [outcome(broadcast_shape, *pair) for pair in pairs]
print(f"{len(pairs):,} pairs of shapes, {ours.count('refused'):,} of them refused")
assert ours == [outcome(np.broadcast_shapes, *pair) for pair in pairs]

# %% [markdown]
# Nothing is copied when an axis is read again: NumPy takes steps of zero bytes along it. In the picture,
# black numbers exist and grey ones are the same numbers read again.

# %%
column, row = np.array([[0], [10], [20]]), np.array([1, 2, 3, 4])  # (3, 1) and (4,)
stretched = np.broadcast_to(column, (3, 4)), np.broadcast_to(row, (3, 4))
assert stretched[0].strides[1] == 0 and stretched[1].strides[0] == 0  # a step along that axis stays in place

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
exists = np.arange(4) == np.zeros((3, 1)), np.arange(3)[:, None] == np.zeros(4), np.ones((3, 4), dtype=bool)
titles = "shape (3, 1)", "plus shape (4,)", "gives shape (3, 4)"
for ax, numbers, real, title in zip(axes, (*stretched, column + row), exists, titles):
    ax.imshow(real, cmap="Blues", vmin=0, vmax=4)
    for i, j in np.ndindex(3, 4):
        ax.text(
            j, i, numbers[i, j], ha="center", va="center", fontsize=14, color="0" if real[i, j] else "0.7"
        )
    ax.set(title=title, xticks=[], yticks=[])
fig.suptitle("An axis of length one is read again and again")
plt.show()

# %% [markdown]
# ## The trap: (n,) against (n, 1)
#
# A model returns its predictions as a column, (n, 1). The targets are a plain list, (n,). Subtract them,
# and every prediction meets every target. No error is raised, and the average is wrong. Let the
# predictions be perfect: the loss, here the mean of the squared differences, should be zero.

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
print(f"intended: shape {intended.shape}, mean squared error {np.mean(intended**2):.2f}")
print(f"trapped:  shape {trapped.shape}, mean squared error {np.mean(trapped**2):.2f}")
assert trapped.shape == broadcast_shape(predictions.shape, targets.shape)
assert np.mean(intended**2) == 0 and np.mean(trapped**2) > 50

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(intended, "o", markersize=3)
left.set(xlabel="bird", ylabel="prediction − target (mm)", ylim=(-30, 30))
left.set_title("(n,) − (n,): every error is zero")
image = right.imshow(trapped, cmap="RdBu", vmin=-30, vmax=30)
right.set(xlabel="target of bird", ylabel="prediction for bird")
right.set_title("(n, 1) − (n,): each against all")
fig.colorbar(image, label="difference (mm)")
plt.show()

# %% [markdown]
# Only the diagonal is what was meant. So check shapes before you subtract, as every loss in this course
# does.


# %%
def mean_squared_error(predictions, targets):
    """Mean of squared differences; raises ValueError where the shapes differ, even if they broadcast."""
    if predictions.shape != targets.shape:
        raise ValueError(f"predictions have shape {predictions.shape} but targets {targets.shape}")
    return np.mean((predictions - targets) ** 2)


print(outcome(mean_squared_error, predictions, targets), mean_squared_error(predictions[:, 0], targets))
assert outcome(mean_squared_error, predictions, targets) == "refused"

# %% [markdown]
# ## Reductions: the axis you name disappears
#
# `sum`, `mean` and `max` collapse an axis. In a table of shape (2, 3), `axis=0` runs down the columns and
# leaves (3,); `axis=1` runs along the rows and leaves (2,). With `keepdims=True` the axis stays, with
# length one, so that the result broadcasts back against the table.

# %%
table = np.array([[1.0, 2.0, 6.0], [4.0, 5.0, 0.0]])  # (2, 3)
print(f"axis 0: {table.sum(axis=0)}   axis 1: {table.sum(axis=1)}   both: {table.sum()}")
by_loop = [sum(table[i, j] for i in range(2)) for j in range(3)]
assert table.sum(axis=0).tolist() == by_loop == [5, 7, 6] and table.sum(axis=1).tolist() == [9, 9]

shares = table / table.sum(axis=1, keepdims=True)  # (2, 3) / (2, 1) -> (2, 3)
print(f"each row adds to one: {shares.sum(axis=1)}")
np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-10)
assert outcome(np.broadcast_shapes, (2, 3), (2,)) == "refused"  # without keepdims; a square table would pass!

# %% [markdown]
# ## Memory is one long line
#
# An array is a row of numbers in memory and a recipe for reading it: the shape, and for each axis the
# *stride*, how many places to move for one step along it. In *row-major* order the last axis steps by
# one, and every other axis steps over all that is inside it.


# %%
def row_major_strides(shape):
    """Places to move for one step along each axis, last axis contiguous."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def read(memory, strides, index):
    """The entry at `index` (one number an axis) of an array laid out in the flat `memory`."""
    return memory[sum(step * i for step, i in zip(strides, index, strict=True))]


memory = np.arange(12)
table = memory.reshape(3, 4)  # (12,) -> (3, 4)
print(f"strides {row_major_strides((3, 4))}, so [2, 1] is at place {read(memory, (4, 1), (2, 1))}\n{table}")
assert read(memory, row_major_strides((3, 4)), (2, 1)) == table[2, 1] == 9
assert tuple(stride // table.itemsize for stride in table.strides) == row_major_strides((3, 4))

# %% [markdown]
# Transposing swaps the strides, and reshaping computes new ones. Neither touches the numbers: both are
# *views*, and writing through one shows in the other. A view of a view works until no strides can
# describe it; then `reshape` has to copy.

# %%
flipped = table.T  # (3, 4) -> (4, 3)
print(f"transposed: strides {tuple(stride // table.itemsize for stride in flipped.strides)}")
assert all(read(memory, (1, 4), index) == flipped[index] for index in np.ndindex(4, 3))
assert np.shares_memory(memory, flipped) and not np.shares_memory(memory, flipped.reshape(12))
flipped[0, 2] = -1
assert memory[8] == -1

# %% [markdown]
# So transpose and reshape to the same shape are different things. The first flips the photo over its
# diagonal; the second reads the same line of memory and breaks it at other places.

# %%
turned = photo.transpose(1, 0, 2)  # (H, W, 3) -> (W, H, 3)
rebroken = photo.reshape(width, height, 3)  # (H, W, 3) -> (W, H, 3)
assert turned.shape == rebroken.shape and not np.array_equal(turned, rebroken)
assert np.array_equal(rebroken.ravel(), photo.ravel())

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, picture, name in zip(axes, (photo, turned, rebroken), ("photo", "transpose(1, 0, 2)", "reshape")):
    ax.imshow(picture)
    ax.set(title=f"{name}: {picture.shape[0]} × {picture.shape[1]}", xticks=[], yticks=[])
fig.suptitle("Transpose moves the axes, reshape only breaks the line of memory elsewhere")
plt.show()

# %% [markdown]
# ## One product, four ways to see it
#
# For $A$ of shape (n, m) and $B$ of shape (m, p) the product has shape (n, p). *One entry*: a row of $A$
# times a column of $B$. *One column*: a mixture of the columns of $A$, the amounts in a column of $B$.
# *One layer*: a column of $A$ times a row of $B$, a whole table; the product is the sum of these layers.
#
# $$C_{ij} = \sum_k A_{ik} B_{kj}, \qquad C_{:j} = \sum_k B_{kj}\, A_{:k}, \qquad
#   C = \sum_k A_{:k}\, B_{k:} .$$


# %%
def three_loops(a, b):
    """Matrix product of lists of rows, (n, m) by (m, p), number by number; ValueError where m differs."""
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
    """Matrix product column by column: each is a mixture of the columns of a (n, m)."""
    return np.stack([a @ column for column in b.T], axis=1)  # (n, m) @ (m,) -> (n,), p of them -> (n, p)


def outer_sum(a, b):
    """Matrix product layer by layer: column k of a (n, m) times row k of b (m, p)."""
    out = np.zeros((len(a), b.shape[1]))
    for column, row in zip(a.T, b, strict=True):
        out += column[:, None] * row  # (n, 1) * (p,) -> (n, p)
    return out


# %%
for n, m, p in ((1, 1, 1), (1, 7, 1), (5, 1, 3), (2, 3, 11)):
    a, b = rng.normal(size=(n, m)), rng.normal(size=(m, p))
    product = a @ b  # (n, m) @ (m, p) -> (n, p)
    np.testing.assert_allclose(three_loops(a.tolist(), b.tolist()), product, rtol=1e-10, atol=1e-12)
    for way in (dot_products, column_mix, outer_sum):
        np.testing.assert_allclose(way(a, b), product, rtol=1e-10, atol=1e-12)
print("three loops, dot products, column mix, outer sum: all equal to @")

# %%
n, m, p = 4, 3, 5
views = {
    "one entry: row times column": (np.s_[2, :], np.s_[:, 3], np.s_[2, 3]),
    "one column: a mix of columns": (np.s_[:, :], np.s_[:, 3], np.s_[:, 3]),
    "one layer: column times row": (np.s_[:, 1], np.s_[1, :], np.s_[:, :]),
}
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (title, (in_a, in_b, in_c)) in zip(axes, views.items()):
    canvas = np.full((m + 1 + n, m + 1 + p), np.nan)  # A below left, B above right, their product below right
    parts = {"A": canvas[m + 1 :, :m], "B": canvas[:m, m + 1 :], "AB": canvas[m + 1 :, m + 1 :]}
    for part, chosen, shade in zip(parts.values(), (in_a, in_b, in_c), (1.0, 1.0, 2.0)):
        part[:] = 0.2
        part[chosen] = shade
    ax.pcolormesh(canvas, cmap="Blues", vmin=0, vmax=3, edgecolors="white", linewidth=2)
    for name, x, y in (("A", m / 2, m + 0.5), ("B", m + 0.5, m / 2), ("AB", m + 1 + p / 2, m + 0.5)):
        ax.text(x, y, name, ha="center", va="center", fontsize=13)
    ax.set(title=title, aspect="equal")
    ax.invert_yaxis()
    ax.axis("off")
fig.suptitle("The same product, seen entry by entry, column by column, layer by layer")
plt.show()

# %% [markdown]
# The fourth way explains the other three. A matrix is a machine that moves arrows (2.1), and $AB$ is two
# machines in a row: first $B$, then $A$. Its columns say where the axes land after both. Order matters,
# as with socks and shoes.

# %%
turn = np.array([[0, -1], [1, 0]])  # a quarter turn counterclockwise
shear = np.array([[1, 1], [0, 1]])
arrow = np.array([2, 1])
print(f"turn, then shear {shear @ (turn @ arrow)}   shear, then turn {turn @ (shear @ arrow)}")
assert np.array_equal((shear @ turn) @ arrow, shear @ (turn @ arrow))  # (2, 2) @ (2, 2) @ (2,) -> (2,)
# (2, 2) @ (2,): where (1, 0) lands after both
assert np.array_equal((shear @ turn)[:, 0], shear @ turn[:, 0])
assert not np.array_equal(shear @ turn, turn @ shear)  # (2, 2) @ (2, 2) -> (2, 2)

# %% [markdown]
# ## Many products at once
#
# `@` works on the last two axes. All axes before them are a batch: one product for each, and they
# broadcast by the rule above. Thirty-two pairs of matrices need no loop, nor does one matrix for all of
# them.

# %%
a, b = rng.normal(size=(32, 5, 3)), rng.normal(size=(32, 3, 4))  # (B, n, m), (B, m, p)
batched = a @ b  # (B, n, m) @ (B, m, p) -> (B, n, p)
np.testing.assert_allclose(batched, [one @ other for one, other in zip(a, b)], rtol=1e-10, atol=1e-12)
shared = a @ b[0]  # (B, n, m) @ (m, p) -> (B, n, p)
np.testing.assert_allclose(shared[7], a[7] @ b[0], rtol=1e-10, atol=1e-12)  # (n, m) @ (m, p) -> (n, p)
print(f"batched {batched.shape}, shared {shared.shape}")

# %% [markdown]
# `einsum` writes any such sum as letters. Each axis gets a letter, equal letters walk together, and a
# letter missing on the right is summed over. The matrix product $\sum_k A_{ik} B_{kj}$ is `ik,kj->ij`.
# A layer of neurons (1.2), inputs (b, i) and weight (o, i), is `bi,oi->bo`.

# %%
x, y, c = rng.normal(size=5), rng.normal(size=5), rng.normal(size=(5, 3))
inputs, weight = rng.normal(size=(7, 3)), rng.normal(size=(2, 3))
sums = {
    "i,i->": ((x, y), x @ y),  # dot product: (5,) @ (5,) -> ()
    "i,j->ij": ((x, y), x[:, None] * y),  # outer product: (5, 1) * (5,) -> (5, 5)
    "ij->i": ((c,), c.sum(axis=1)),
    "ij->ji": ((c,), c.T),
    "bij,bjk->bik": ((a, b), batched),
    "bi,oi->bo": ((inputs, weight), inputs @ weight.T),  # (7, 3) @ (3, 2) -> (7, 2)
    "hwc->c": ((photo,), photo.sum(axis=(0, 1))),
}
for letters, (arrays, expected) in sums.items():
    print(f"{letters:20s}{' '.join(str(array.shape) for array in arrays):30s}-> {np.shape(expected)}")
    np.testing.assert_allclose(np.einsum(letters, *arrays), expected, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The same, faster
#
# All ways do the same $2nmp$ additions and multiplications. How long they take depends on who drives:
# Python, which looks at every number as an object, or compiled code that runs through memory. We time
# each on square matrices, several rounds in turn, and keep the middle time, the *median*. A GFLOP/s is a
# billion of these operations in a second. The loops get the small size only.


# %%
def median_seconds(tasks, rounds=5):
    """Median time of each of `tasks` (name -> function without arguments), run in turn."""
    times = {name: [] for name in tasks}
    for name in [*tasks, *list(tasks) * rounds]:  # the first time round is a warm-up
        start = time.perf_counter()
        tasks[name]()
        times[name].append(time.perf_counter() - start)
    return {name: float(np.median(spent[1:])) for name, spent in times.items()}


ladder = {}
print(f"{'way':20s}{'size':>12s}{'ms':>12s}{'GFLOP/s':>12s}")
for size in (64, 256):
    a, b = rng.normal(size=(2, size, size))
    tasks = {way.__name__: partial(way, a, b) for way in (dot_products, column_mix, outer_sum)}
    tasks["@"] = partial(np.matmul, a, b)
    if size == 64:
        tasks["three_loops"] = partial(three_loops, a.tolist(), b.tolist())
    for name, seconds in median_seconds(tasks).items():
        ladder[name, size] = 2 * size**3 / seconds / 1e9
        print(f"{name:20s}{size:12d}{1000 * seconds:12.3g}{ladder[name, size]:12.3g}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ways = ["three_loops", "dot_products", "outer_sum", "column_mix", "@"]
for size, offset, marker, color in ((64, -0.12, "o", "C0"), (256, 0.12, "s", "C1")):
    speeds = [(i + offset, ladder[way, size]) for i, way in enumerate(ways) if (way, size) in ladder]
    for place, speed in speeds:
        ax.plot([1e-3, speed], [place, place], color=color, linewidth=1)
    ax.plot(
        [speed for _, speed in speeds],
        [place for place, _ in speeds],
        marker,
        color=color,
        label=f"{size} × {size}",
    )
ax.set(xscale="log", xlabel="GFLOP/s", yticks=range(5), yticklabels=ways, title="One result, five speeds")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## Why: memory order
#
# Memory arrives in *cache lines*, a stretch of neighbours at a time. Walk along a row and every number
# that arrives is used. Walk down a column and each step fetches a whole stretch for one number. The sums
# below add the same numbers; only the order differs.


# %%
def row_by_row(matrix):
    """Sum of all entries, a row at a time."""
    return sum(row.sum() for row in matrix)


def column_by_column(matrix):
    """Sum of all entries, a column at a time."""
    return sum(column.sum() for column in matrix.T)


big = rng.normal(size=(2048, 2048))
walks = {walk.__name__: partial(walk, big) for walk in (row_by_row, column_by_column)}
for name, seconds in median_seconds(walks).items():
    print(f"{name:20s}{1000 * seconds:12.3g} ms{big.nbytes / seconds / 1e9:12.3g} GB/s")
np.testing.assert_allclose(row_by_row(big), column_by_column(big), rtol=1e-9)

# %% [markdown]
# ## Why: vector instructions and blocking
#
# A processor adds eight or sixteen neighbouring numbers in one instruction; Python hands it one at a
# time. And arithmetic is faster than memory, so a number once fetched should be used often. A dot product
# uses each number once. A matrix product uses each $n$ times, if it stays in the fast memory near the
# processor. It does where the work is cut into small *blocks*, each a product of its own.


# %%
def blocked(a, b, size):
    """Matrix product of (n, m) and (m, p) in blocks of at most size × size."""
    out = np.zeros((len(a), b.shape[1]))
    for i, j, k in itertools.product(*(range(0, length, size) for length in (*out.shape, len(b)))):
        rows, columns, inner = slice(i, i + size), slice(j, j + size), slice(k, k + size)
        out[rows, columns] += a[rows, inner] @ b[inner, columns]  # (s, s) @ (s, s) -> (s, s)
    return out


a, b = rng.normal(size=(37, 50)), rng.normal(size=(50, 23))
# (37, 50) @ (50, 23) -> (37, 23)
np.testing.assert_allclose(blocked(a, b, 16), a @ b, rtol=1e-10, atol=1e-12)
n = 1024
print(f"{'work':20s}{'operations':>16s}{'numbers in':>16s}{'uses of each':>16s}")
for name, operations, numbers in (
    ("dot product", 2 * n, 2 * n),
    ("matrix · vector", 2 * n**2, n**2 + n),
    ("matrix · matrix", 2 * n**3, 2 * n**2),
):
    print(f"{name:20s}{operations:16,d}{numbers:16,d}{operations / numbers:16.3g}")

# %% [markdown]
# That is why `@` on large matrices comes closest to what the processor can do, and why networks are built
# out of matrix products. Write the batch as one matrix, and let the library choose the order.
#
# ## What to remember
#
# - Shapes line up at the right. Equal or one: they fit. (n,) against (n, 1) fits too, and is wrong.
# - The axis you name in a reduction disappears; `keepdims` keeps a place for it.
# - Transpose and reshape move no numbers. They are views: new strides on old memory.
# - A matrix product is rows by columns, mixtures of columns, a sum of layers, or two machines in a row.
# - The fast way does the same arithmetic in a better order: neighbours together, and used again while
#   near.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. What shape has `np.zeros((5, 1, 3)) + np.zeros((4, 1))`? Ask `broadcast_shape` after you have
#    decided.
# 2. Make `big` column-major with `np.asfortranarray(big)`. Which walk is now faster, and why?
# 3. Write the mean of each channel of a batch of photos, (B, H, W, C), as an `einsum` and one division.
#
# ## Sources
#
# - C. R. Harris et al., "Array programming with NumPy", *Nature* 585, 2020: strides, views, broadcasting.
# - G. Strang, *Introduction to Linear Algebra*, 6th edition, 2023, section 1.4: the ways to multiply.
# - G. H. Golub, C. F. Van Loan, *Matrix Computations*, 4th edition, 2013, chapter 1: loops, levels,
#   blocks.
# - K. Goto, R. A. van de Geijn, "Anatomy of high-performance matrix multiplication", *ACM TOMS* 34, 2008.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data. R. Michetti, Pikolo Espresso
#   Bar: the photograph, from scikit-image.
