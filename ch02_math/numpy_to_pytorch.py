# %% [markdown]
# # 2.7 From NumPy to PyTorch: the same arrays, plus two things
#
# Moving into a new house, you keep your furniture. You learn where the light switches are, and you get
# two rooms you did not have before. PyTorch is such a house: its *tensor* is NumPy's array with a few
# other names for the same things, and two new ones. It can tell its gradient, and it can live on another
# device.
#
# **You will build** the bridge between the two, crossed line by line with the loop of lesson 2.5. **You
# need** array operations (2.2) and gradient descent (2.5).

# %%
import csv
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# What is twice the list $[1, 2, 3]$? In mathematics, and for an array, it is $[2, 4, 6]$. For a Python
# list it is the list said twice. A list holds any objects, scattered in memory, each with a label that
# says what it is; an array holds numbers of one kind, side by side, with one label for all. That is why
# it needs less room and no question before each addition.

# %%
numbers, array = [1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0])
print(f"list {numbers * 2}   array {array * 2}")
assert numbers * 2 == [1, 2, 3, 1, 2, 3] and (array * 2).tolist() == [2, 4, 6]

many = [float(i) for i in range(1000)]
list_bytes = sys.getsizeof(many) + sum(sys.getsizeof(number) for number in many)
array_bytes = np.array(many).nbytes
print(f"a thousand numbers: list {list_bytes:,} bytes, array {array_bytes:,} bytes")
assert list_bytes > 3 * array_bytes

# %% [markdown]
# ## dtype: what kind of number
#
# The one label is the *dtype*. `uint8` counts from 0 to 255 in one byte: right for a photo's pixels, and
# dangerous in arithmetic, because it wraps round like a car's old mileage counter. To brighten a photo,
# go to floats, add, clip, and come back.

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg")  # (H, W, 3) uint8


def brighten(photo, amount):
    """A uint8 photo with `amount` added to every channel, held inside 0 to 255."""
    return np.clip(photo.astype(np.float64) + amount, 0, 255).astype(np.uint8)


wrapped = photo + np.uint8(100)
brighter = brighten(photo, 100)
two_hundred = np.array([200], dtype=np.uint8)
print(f"in uint8, 200 + 100 is {(two_hundred + np.uint8(100))[0]}")
assert np.mean(wrapped < photo) > 0.1  # more than a tenth of all numbers got darker
assert np.all(brighter >= photo)

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, (name, picture) in zip(axes, {"photo": photo, "photo + 100": wrapped, "clipped": brighter}.items()):
    ax.imshow(picture)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("In uint8 the bright parts wrap round to dark; floats, then a clip, do what was meant")
plt.show()

# %% [markdown]
# For fractions there are `float64`, with about sixteen digits, and `float32`, with about seven, in half
# the room. The gap between $1$ and the next number tells how fine each is. Networks train in `float32`;
# where we check, we use `float64`.

# %%
print(f"{'dtype':20s}{'bytes':>8s}{'gap at 1':>12s}   one third")
for dtype in (np.float64, np.float32):
    gap = np.finfo(dtype).eps
    print(f"{np.dtype(dtype).name:20s}{np.dtype(dtype).itemsize:8d}{gap:12.1e}   {dtype(1) / dtype(3):.20f}")
    assert dtype(1) + gap > 1 and dtype(1) + gap / 4 == 1

# %% [markdown]
# ## Picking: slices, lists, masks
#
# A slice picks a range. A list of places picks those. A *mask*, an array of true and false of the same
# length, picks where it is true. Masks read like questions: which birds are gentoos, how heavy is their
# average, who is heavier than six kilograms?

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

gentoo = labels == 2  # (n,): true or false
heavy = measurements[:, 1] > 6000  # (n,)
print(f"shape {measurements.shape}   first two birds {measurements[:2].tolist()}")
print(f"{gentoo.sum()} gentoos of {measurements[gentoo, 1].mean():.0f} g on average", end="")
print(f", {heavy.sum()} birds over 6 kg")
assert np.all(labels[heavy] == 2)  # the heavy ones are gentoos
assert np.array_equal(measurements[gentoo], measurements[np.flatnonzero(gentoo)])  # the same, by places

# %% [markdown]
# ## Views against copies
#
# A slice is a *view*: a window on the same memory. A list of places or a mask gives a *copy*, because its
# numbers do not lie in regular steps. Write through a view, and the original changes; this saves memory,
# and it is the most common surprise.

# %%
original = np.arange(6.0)  # (6,)
view, copy = original[1:4], original[[1, 2, 3]]
view[0] = -1
copy[1] = -2
print(f"original {original}   view {view}   copy {copy}")
assert original[1] == -1 and original[2] == 2
assert np.shares_memory(original, view) and not np.shares_memory(original, copy)
original[original < 0] = 0  # a mask on the left side writes into the original
assert original.tolist() == [0, 0, 2, 3, 4, 5]

# %% [markdown]
# ## Randomness on a leash
#
# A *generator* produces numbers that look random and are a fixed sequence. Its *seed* chooses the
# sequence, so whoever runs the lesson gets the same numbers. Each lesson makes its own generator; nobody
# else can disturb it.

# %%
rng, again, other = np.random.default_rng(0), np.random.default_rng(0), np.random.default_rng(1)
draws = [generator.normal(size=3) for generator in (rng, again, other)]  # three times (3,)
print(*[draw.round(3) for draw in draws], sep="\n")
assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])

# %% [markdown]
# ## The first tensor
#
# A tensor is made from an array, and most of what you know goes by the same name. The table puts the two
# side by side; every pair is computed and compared. Where NumPy says `axis`, PyTorch says `dim`.

# %%
a = rng.normal(size=(3, 4))  # (3, 4)
t = torch.tensor(a)  # a copy: (3, 4), float64 like the array
table = {
    ("a.shape", "t.shape"): (a.shape, tuple(t.shape)),
    ("a.ndim, a.size", "t.ndim, t.numel()"): ((a.ndim, a.size), (t.ndim, t.numel())),
    ("a[1:, ::2]", "t[1:, ::2]"): (a[1:, ::2], t[1:, ::2]),
    ("a[a > 0]", "t[t > 0]"): (a[a > 0], t[t > 0]),
    ("a.sum(axis=0)", "t.sum(dim=0)"): (a.sum(axis=0), t.sum(dim=0)),
    ("a.mean(axis=1, keepdims=True)", "t.mean(dim=1, keepdim=True)"): (
        a.mean(axis=1, keepdims=True),
        t.mean(dim=1, keepdim=True),
    ),
    ("a.max(axis=0)", "t.amax(dim=0)"): (a.max(axis=0), t.amax(dim=0)),
    ("a.argmax(axis=1)", "t.argmax(dim=1)"): (a.argmax(axis=1), t.argmax(dim=1)),
    ("a @ a.T", "t @ t.T"): (a @ a.T, t @ t.T),  # (3, 4) @ (4, 3) -> (3, 3)
    ("a.reshape(2, 6)", "t.reshape(2, 6)"): (a.reshape(2, 6), t.reshape(2, 6)),  # (3, 4) -> (2, 6)
    ("a[:, None]", "t[:, None]"): (a[:, None], t[:, None]),  # (3, 4) -> (3, 1, 4)
    ("np.concatenate([a, a], axis=1)", "torch.cat([t, t], dim=1)"): (
        np.concatenate([a, a], axis=1),
        torch.cat([t, t], dim=1),
    ),
    ("np.where(a > 0, a, 0.0)", "torch.where(t > 0, t, 0.0)"): (
        np.where(a > 0, a, 0.0),
        torch.where(t > 0, t, 0.0),
    ),
    ("np.clip(a, -1, 1)", "t.clamp(-1, 1)"): (np.clip(a, -1, 1), t.clamp(-1, 1)),
    ("a.astype(np.float32)", "t.float()"): (a.astype(np.float32), t.float()),
}
print(f"{'NumPy':34s}PyTorch")
for (in_numpy, in_torch), (ours, theirs) in table.items():
    print(f"{in_numpy:34s}{in_torch}")
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)

# %% [markdown]
# ## What differs
#
# Five light switches are in other places. Python floats become `float32`, not `float64`. A method that
# ends in `_` works *in place*, on the tensor itself. The matrix product refuses mixed dtypes. `std`
# divides by $n - 1$ where NumPy divides by $n$ (lesson 2.8 asks who is right). And `max` along a `dim`
# gives the places too.

# %%
print(f"floats: {np.array([0.1]).dtype} and {torch.tensor([0.1]).dtype}")
assert torch.tensor([0.1]).dtype == torch.float32 and torch.tensor([0.1], dtype=torch.float64).item() == 0.1

t = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
fresh = t.add(1)
assert t[0] == 1 and fresh[0] == 2  # without the underscore: a new tensor
t.add_(1)
assert t[0] == 2  # with it: the same one

try:
    t @ t.float()  # (3,) @ (3,) -> ()
except RuntimeError as error:
    print(f"float64 @ float32: {error}")
    refused = True
assert refused

a = np.array([2.0, 3.0, 7.0])  # (3,)
spreads = a.std(), torch.tensor(a).std(), torch.tensor(a).std(correction=0)
print("std: " + ", ".join(f"{spread:.4f}" for spread in spreads))
assert spreads[1] > spreads[0] and abs(spreads[2] - spreads[0]) < 1e-12
values, places = torch.tensor([[1.0, 5.0], [4.0, 2.0]], dtype=torch.float64).max(dim=1)
assert values.tolist() == [5, 4] and places.tolist() == [1, 0]

# %% [markdown]
# ## One memory, two names
#
# `torch.tensor` copies. `torch.from_numpy` does not: the tensor is a view of the array's memory, and so
# is the array that `.numpy()` gives back. Write on one side, read on the other.

# %%
array = np.zeros(4)  # (4,)
shared, copied = torch.from_numpy(array), torch.tensor(array)
array[0] = 1.0
shared[1] = 2.0
print(f"array {array}\nshared {shared}\ncopied {copied}")
assert array.tolist() == shared.tolist() == [1, 2, 0, 0] and copied.tolist() == [0] * 4
assert shared.data_ptr() == array.ctypes.data and np.shares_memory(shared.numpy(), array)

try:
    torch.from_numpy(array[::-1])
except ValueError as error:
    print(f"backwards: {str(error).splitlines()[0][:80]}…")
    no_backward = True
assert no_backward  # a tensor cannot walk backward through memory

# %% [markdown]
# ## New room one: a gradient
#
# Say `requires_grad=True`, and the tensor takes notes of what is done to it. `backward()` on a result
# then fills `.grad` with the slope. For $f(x) = x^2$ at $3$ that is $6$, as in lesson 2.3, without a rule
# written down and without a nudge. Chapter 6 builds this from scratch.

# %%
x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
height = x * x
height.backward()
print(f"f(3) = {height.item()}, slope {x.grad.item()}")
assert x.grad == 6

# %% [markdown]
# ## New room two: a device
#
# A tensor lives on a *device*: the `cpu`, or an accelerator such as a graphics card. `.to(device)` moves
# it, and whatever is computed from it happens there. Lesson 4.5 is about when this pays. Here we ask
# which one this machine offers, and check that it computes the same.

# %%
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
torch.manual_seed(0)
matrix = torch.randn(5, 3)  # (5, 3), float32: PyTorch's generator has its own sequence
there = (matrix.to(device) @ matrix.to(device).T).cpu()  # (5, 3) @ (3, 5) -> (5, 5)
print(f"computed on {device}, largest difference {(there - matrix @ matrix.T).abs().max():.0e}")
torch.testing.assert_close(there, matrix @ matrix.T)  # (5, 3) @ (3, 5) -> (5, 5)

# %% [markdown]
# ## Across the bridge: the parabola
#
# Lesson 2.5 walked down $\tfrac12 \lambda x^2$. On the left bank the slope was written by hand. On the
# right bank we write only the height, and `backward` finds the slope. Two lines are new. `no_grad` says
# that the step itself is not part of the function. And `.grad` is emptied, because `backward` adds to
# what is there.


# %%
def descend(slope, start, learning_rate, n_steps):
    """NumPy, as in 2.5: all places visited, (n_steps + 1, …), walking against `slope`."""
    place = np.array(start, dtype=np.float64)
    path = [place.copy()]
    for _ in range(n_steps):
        place -= learning_rate * slope(place)
        path.append(place.copy())
    return np.array(path)


def descend_torch(height, start, learning_rate, n_steps, dtype=torch.float64):
    """The same in PyTorch: `height` gives the function, `backward` its slope."""
    place = torch.tensor(start, dtype=dtype, requires_grad=True)
    path = [place.detach().clone()]
    for _ in range(n_steps):
        height(place).backward()
        with torch.no_grad():
            place -= learning_rate * place.grad
        place.grad = None
        path.append(place.detach().clone())
    return torch.stack(path)


# %% [markdown]
# Line by line it is the same loop, and number by number the same walk. `detach().clone()` is the
# `.copy()` of this house: without it every entry of `path` would be the one tensor that changes. The two
# agree in every bit.

# %%
curvature = 2.0
ours = descend(lambda x: curvature * x, 1.0, 0.1, n_steps=40)  # (41,)
theirs = descend_torch(lambda x: curvature * x * x / 2, 1.0, 0.1, n_steps=40)  # (41,)
print(f"ends: {ours[-1]!r} and {theirs[-1].item()!r}")
assert np.array_equal(ours, theirs.numpy())

# %% [markdown]
# ## Across the bridge: the penguins
#
# The line from flipper to mass is the same port. Here a sum runs over hundreds of birds, and NumPy and
# PyTorch add them up in different orders. The roundings differ, so the last digits may: we ask for twelve
# equal ones, not for all. In `float32` far fewer agree.

# %%
x = (measurements[:, 0] - measurements[:, 0].mean()) / measurements[:, 0].std()  # (n,)
y = measurements[:, 1] / 1000  # (n,): kilograms


def mse_slope(parameters):
    """Gradient of the mean squared error of w·x + b over the birds, (2,), by hand."""
    residual = parameters[0] * x + parameters[1] - y  # (n,)
    return 2 * np.array([np.mean(residual * x), np.mean(residual)])


def mse(parameters):
    """Mean squared error of w·x + b over the birds, for a tensor (2,) of any dtype."""
    inputs, targets = torch.from_numpy(x).to(parameters.dtype), torch.from_numpy(y).to(parameters.dtype)
    return ((parameters[0] * inputs + parameters[1] - targets) ** 2).mean()


ours = descend(mse_slope, [0.0, 0.0], 0.1, n_steps=60)  # (61, 2)
theirs = {
    dtype: descend_torch(mse, [0.0, 0.0], 0.1, n_steps=60, dtype=dtype).double().numpy()  # (61, 2)
    for dtype in (torch.float64, torch.float32)
}
differences = {dtype: np.abs(path - ours).max(axis=1) for dtype, path in theirs.items()}  # each (61,)
for dtype, difference in differences.items():
    print(f"{str(dtype):20s}largest difference {difference.max():.1e}")
np.testing.assert_allclose(theirs[torch.float64], ours, rtol=1e-12, atol=1e-12)
assert 1e-8 < differences[torch.float32].max() < 1e-5

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for column, name, color in ((0, "w", "C0"), (1, "b", "C1")):
    left.plot(ours[:, column], color=color, label=f"{name}, NumPy")
    left.plot(theirs[torch.float64][:, column], ":", color="black", linewidth=2.5, label=f"{name}, PyTorch")
left.set(xlabel="step", ylabel="parameter (kg)", title="Two houses, one walk…")
left.legend()
for (dtype, difference), style in zip(differences.items(), ("-", "--")):
    right.semilogy(np.maximum(difference, 1e-17), style, label=str(dtype).removeprefix("torch."))
right.set(
    xlabel="step", ylabel="largest difference to NumPy (kg)", title="…up to rounding", ylim=(3e-18, 1e-4)
)
right.legend()
plt.show()

# %% [markdown]
# Differences of exactly zero are drawn at $10^{-17}$, the bottom of the right panel.
#
# ## What to remember
#
# - An array is numbers of one dtype, side by side. Slices are views, masks and lists of places copy.
# - A tensor is an array with `dim` for `axis` and `_` for in place, plus a gradient and a device.
# - Python floats become float32 in PyTorch: write the dtype.
# - `from_numpy` shares memory, `torch.tensor` copies.
# - Gradient descent is a loop: compute, `backward`, step under `no_grad`, empty `.grad`.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Leave out `place.grad = None`. Is the walk slower or faster, and does it still arrive?
# 2. Replace `detach().clone()` by `detach()`. What does `path` hold now?
# 3. Divide by 3 instead of 2 in the height of the parabola, and the slope by 1.5. Do all bits still
#    agree?
#
# ## Sources
#
# - C. R. Harris et al., "Array programming with NumPy", *Nature* 585, 2020.
# - A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", NeurIPS
#   2019.
# - D. Goldberg, "What every computer scientist should know about floating-point arithmetic", *ACM
#   Computing Surveys* 23, 1991.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data. R. Michetti, Pikolo Espresso
#   Bar: the photograph, from scikit-image.
