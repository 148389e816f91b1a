# %% [markdown]
# # 2.7 From NumPy to PyTorch: the same arrays, with gradients and devices
#
# Everything so far was computed with NumPy arrays. Networks are trained with a library such as PyTorch,
# whose *tensor* (the word of lesson 2.1, now as a Python type) is an array of the same kind with two
# additions: it can compute its own gradients, and it can live on a graphics card. Most of what you know
# carries over, some of it under another name, but a few things behave differently, and nothing warns
# you. Which are the few that somebody who changes from one library to the other has to know?
#
# **You will build** the same gradient descent in both libraries, compare the two number by number, and
# collect what is the same and what differs. **You need** array operations (2.2), gradient descent (2.5)
# and scaled inputs (2.6).

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
# What is twice $[1, 2, 3]$? And what is $200 + 100$, if only one byte is there to store the sum, so that
# after $255$ counting starts again at $0$?
#
# $$\begin{aligned}
#   \text{Python list:} \quad & 2 \cdot [1, 2, 3] = [1, 2, 3, 1, 2, 3] \\
#   \text{array:} \quad & 2 \cdot [1, 2, 3] = [2, 4, 6] \\
#   \text{one byte:} \quad & 200 + 100 = 300 = 256 + 44, \ \text{which leaves } 44
# \end{aligned}$$
#
# A Python list holds any objects, so twice a list is the list repeated. An array holds numbers of one
# kind, side by side in memory, and that kind is its *dtype* (data type). So it needs less memory and its
# arithmetic can be fast, but the dtype also decides what happens to a number that does not fit.

# %%
numbers = [1.0, 2.0, 3.0]
one_byte = np.array([200], dtype=np.uint8)
print(f"list {numbers * 2}   array {np.array(numbers) * 2}   one byte {one_byte + np.uint8(100)}")
assert numbers * 2 == [1, 2, 3, 1, 2, 3] and (np.array(numbers) * 2).tolist() == [2, 4, 6]

many = [float(i) for i in range(1000)]
list_bytes = sys.getsizeof(many) + sum(sys.getsizeof(number) for number in many)
array_bytes = np.array(many).nbytes
print(f"a thousand numbers: list {list_bytes:,} bytes, array {array_bytes:,} bytes")

# %% [markdown]
# ## The dtype decides
#
# Photos come as `uint8`, whole numbers from $0$ to $255$ in one byte each. If we want this photo
# brighter by $100$, what will plain addition do to its bright parts? The other way is to convert to
# floats, add, clip to the range of a byte, and convert back. (Lesson 2.1 says what to change for a photo of
# your own.)

# %%
photo = plt.imread(HERE / "data" / "coffee.jpg")  # (H, W, 3) uint8
if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
    raise ValueError(
        f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
    )


def brighten(photo, amount):
    """A uint8 photo with `amount` added to every channel, held inside 0 to 255."""
    return np.clip(photo.astype(np.float64) + amount, 0, 255).astype(np.uint8)


wrapped = photo + np.uint8(100)
brighter = brighten(photo, 100)
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
pictures = {"photo": photo, "photo + 100": wrapped, "brighten": brighter}
for ax, (name, picture) in zip(axes, pictures.items()):
    ax.imshow(picture)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()
print(f"after photo + 100, {np.mean(wrapped < photo):.0%} of all numbers are smaller than before")

# %% [markdown]
# In the middle the light parts have become dark or have changed colour, because everything above $255$
# started again at $0$, and no error was raised. For fractions there are `float64`, with about sixteen
# digits, and `float32`, with about seven, in half the memory. The gap between $1$ and the next number
# tells how fine they are.

# %%
print(f"{'dtype':20s}{'bytes':>8s}{'gap at 1':>12s}   one third")
for dtype in (np.float64, np.float32):
    gap = np.finfo(dtype).eps
    n_bytes = np.dtype(dtype).itemsize
    print(f"{np.dtype(dtype).name:20s}{n_bytes:8d}{gap:12.1e}   {dtype(1) / dtype(3):.20f}")
    assert dtype(1) + gap > 1 and dtype(1) + gap / 4 == 1  # a quarter of the gap is rounded away

# %% [markdown]
# One third is right to sixteen digits in `float64` and to seven in `float32`. Networks are trained in
# `float32` or less, because they need no more and it is faster. Where this course checks gradients, it
# uses `float64` (2.3).
#
# ## Choosing entries
#
# A slice picks a range, a list of numbers picks the entries at those places, and a *boolean mask*, an
# array of true and false, picks the entries where it is true. A mask is written like a question, and
# here we ask which birds are gentoos and which are heavier than six kilograms.

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
print(f"{gentoo.sum()} gentoos of {measurements[gentoo, 1].mean():.0f} g on average")
print(f"{heavy.sum()} birds over 6 kg, of the species {np.unique(labels[heavy])}")

original = np.arange(6.0)  # (6,)
view = original[1:4]
copy = original[[1, 2, 3]]
view[0] = -1
copy[1] = -2
print(f"original {original}   view {view}   copy {copy}")

# %% [markdown]
# The few birds over six kilograms are all gentoos. The last line shows what is easily forgotten. A slice
# is a view of the same memory (2.2), so writing into it changed the original. A list of places gives a
# copy, and so does a mask.
#
# ## Random numbers that can be repeated
#
# Training needs random numbers, and an experiment that nobody can repeat is worth little. A *generator*
# produces a fixed sequence that only looks random, and its *seed* chooses the sequence. Each lesson makes
# a generator of its own, so nothing else can disturb it. Which of these three will agree?

# %%
draws = {}
for name, seed in (("seed 0", 0), ("seed 0, again", 0), ("seed 1", 1)):
    rng = np.random.default_rng(seed)
    draws[name] = rng.normal(size=3)  # (3,)
    print(f"{name:20s}{draws[name].round(3)}")

# %% [markdown]
# The two with the same seed agree, and the third differs. PyTorch has generators with sequences of their
# own, and `torch.manual_seed(0)` sets their seed.
#
# ## The first tensor
#
# A tensor is made from an array or a list, and most operations have the same name, except that PyTorch
# says `dim` where NumPy says `axis`. Each pair in this table is computed and compared.

# %%
a = np.random.default_rng(0).normal(size=(3, 4))  # (3, 4)
t = torch.tensor(a)  # (3, 4), a copy, float64 like the array
# (the line in NumPy, the line in PyTorch): (what the first gives, what the second gives)
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
    ("np.einsum('ij,kj->ik', a, a)", "torch.einsum('ij,kj->ik', t, t)"): (
        np.einsum("ij,kj->ik", a, a),
        torch.einsum("ij,kj->ik", t, t),
    ),
    ("np.clip(a, -1, 1)", "t.clamp(-1, 1)"): (np.clip(a, -1, 1), t.clamp(-1, 1)),
    ("a.astype(np.float32)", "t.float()"): (a.astype(np.float32), t.float()),
}
print(f"{'NumPy':34s}PyTorch")
for (in_numpy, in_torch), (ours, theirs) in table.items():
    print(f"{in_numpy:34s}{in_torch}")
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)

# %% [markdown]
# All pairs agree, and for the way back `t.item()` turns a tensor with one entry into a Python number,
# and `t.tolist()` and `t.numpy()` turn a whole tensor into a list or an array.
#
# ## What differs
#
# Six things behave differently, so read the code first, and guess for each of the six what it prints.

# %%
print(f"1. a list of floats: {np.array([0.1]).dtype} in NumPy, {torch.tensor([0.1]).dtype} in PyTorch")

t = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
t.add(1)  # returns a new tensor
before = t.tolist()
t.add_(1)  # a trailing underscore means *in place*: it changes t itself
print(f"2. t.add(1) leaves {before}, t.add_(1) makes it {t.tolist()}")

try:
    t @ t.float()  # (3,) @ (3,) -> ()
    dtype_error = ""
except RuntimeError as error:
    dtype_error = str(error)
print(f"3. float64 @ float32 raises: {dtype_error}")

values = np.array([2.0, 3.0, 7.0])  # (3,)
spreads = [values.std(), torch.tensor(values).std().item(), torch.tensor(values).std(correction=0).item()]
print(f"4. std: NumPy {spreads[0]:.4f}, PyTorch {spreads[1]:.4f}, with correction=0 {spreads[2]:.4f}")

largest, places = torch.tensor([[1.0, 5.0], [4.0, 2.0]]).max(dim=1)
print(f"5. max(dim=1) gives the values {largest.tolist()} and their places {places.tolist()}")

array = np.zeros(4)  # (4,)
shared = torch.from_numpy(array)
copied = torch.tensor(array)
array[0] = 1.0
shared[1] = 2.0
print(f"6. array {array.tolist()}, from_numpy {shared.tolist()}, torch.tensor {copied.tolist()}")

# %% [markdown]
# 1. Python's floats become `float32` in PyTorch, unless a dtype is given.
# 2. A method whose name ends in `_` works *in place*: it changes the tensor itself and makes no new one.
# 3. PyTorch refuses a matrix product of two dtypes, while NumPy converts. (For `+` and `*` PyTorch
#    converts, too.)
# 4. `std`, the standard deviation (a typical distance from the mean), divides by $n$ in NumPy and by
#    $n - 1$ in PyTorch. Lesson 2.8 explains which is right when.
# 5. `max` along an axis returns the places, too.
# 6. `torch.from_numpy` makes a tensor that shares the array's memory, so each sees what is written into
#    the other. `torch.tensor` makes a copy.
#
# ## A tensor can compute its gradient
#
# In lesson 2.5 we wrote down a function and, by hand, its slope. In PyTorch we write down the function
# only. If a tensor is made with `requires_grad=True`, PyTorch records what is computed from it, and
# calling `backward()` on the result puts the derivative into the tensor's `.grad`. For $f(x) = x^2$ at
# $3$ it should be $6$.

# %%
place = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
height = place * place
height.backward()
print(f"f(3) = {height.item()}, derivative {place.grad.item()}")
assert place.grad == 6

# %% [markdown]
# No rule was written down and no small step was taken; chapter 6 builds the mechanism that makes this
# possible. Here is gradient descent in both libraries, and in PyTorch three things are new:
#
# - `torch.no_grad()` says that the step is not a part of the function and should not be recorded.
# - `.grad` must be emptied after each step, because `backward` adds to what is there.
# - `detach().clone()` takes a copy without the record. Without `clone`, every entry of `path` would be
#   the one tensor that changes.


# %%
def descend(gradient, start, learning_rate, n_steps):
    """NumPy, as in lesson 2.5: the points visited, float64 (n_steps + 1, …)."""
    point = np.array(start, dtype=np.float64)
    path = [point]
    for _ in range(n_steps):
        point = point - learning_rate * gradient(point)
        path.append(point)
    return np.array(path)


def descend_torch(height, start, learning_rate, n_steps, dtype=torch.float64):
    """The same in PyTorch: `height` gives the function, `backward` its gradient."""
    point = torch.tensor(start, dtype=dtype, requires_grad=True)
    path = [point.detach().clone()]
    for _ in range(n_steps):
        height(point).backward()
        with torch.no_grad():
            point -= learning_rate * point.grad
        point.grad = None
        path.append(point.detach().clone())
    return torch.stack(path)


curvature = 2.0
parabola_path = descend(lambda x: curvature * x, 1.0, 0.1, n_steps=40)  # (41,)
parabola_path_torch = descend_torch(lambda x: curvature * x * x / 2, 1.0, 0.1, n_steps=40)  # (41,)
print(f"last points: {parabola_path[-1].item()!r} and {parabola_path_torch[-1].item()!r}")

# %% [markdown]
# On the parabola the two walks agree in every bit. PyTorch does not do the same operations: it adds two
# products, one for each factor $x$, and each is half of $\lambda x$. But halving a number and adding two
# equal halves are exact in binary, so nothing is rounded differently.
#
# Now we fit the line from flipper to mass. The flippers are scaled (2.6), and the gradient is written by
# hand for NumPy and left to `backward` in PyTorch. Here a sum runs over hundreds of birds. Will the walks
# still agree in every bit, and how well will they agree in `float32`?

# %%
x = (measurements[:, 0] - measurements[:, 0].mean()) / measurements[:, 0].std()  # (n,)
y = measurements[:, 1] / 1000  # (n,): kilograms


def mse_gradient(parameters):
    """Gradient of the mean squared error of w·x + b over the birds, (2,), by hand."""
    error = parameters[0] * x + parameters[1] - y  # (n,)
    return 2 * np.array([np.mean(error * x), np.mean(error)])


def mse(parameters):
    """Mean squared error of w·x + b over the birds, for a tensor (2,) of any dtype."""
    inputs = torch.from_numpy(x).to(parameters.dtype)
    targets = torch.from_numpy(y).to(parameters.dtype)
    return ((parameters[0] * inputs + parameters[1] - targets) ** 2).mean()


line_path = descend(mse_gradient, [0.0, 0.0], 0.1, n_steps=60)  # (61, 2)
line_paths_torch = {}
differences = {}
for dtype in (torch.float64, torch.float32):
    path = descend_torch(mse, [0.0, 0.0], 0.1, n_steps=60, dtype=dtype)  # (61, 2)
    line_paths_torch[dtype] = path.double().numpy()
    differences[dtype] = np.abs(line_paths_torch[dtype] - line_path).max(axis=1)  # (61, 2) -> (61,)
    print(f"{str(dtype):20s}largest difference {differences[dtype].max():.1e}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for column, name, color in ((0, "w", "C0"), (1, "b", "C1")):
    left.plot(line_path[:, column], color=color, label=f"{name}, NumPy")
    in_torch = line_paths_torch[torch.float64][:, column]
    left.plot(in_torch, ":", color="black", linewidth=2.5, label=f"{name}, PyTorch")
left.set(xlabel="step", ylabel="parameter (kg)", title="Parameters along the walk, float64")
left.legend()
for (dtype, difference), style in zip(differences.items(), ("-", "--")):
    right.semilogy(np.maximum(difference, 1e-17), style, label=str(dtype).removeprefix("torch."))
right.set(xlabel="step", ylabel="largest difference to NumPy (kg)", ylim=(3e-18, 1e-4))
right.set_title("Difference of PyTorch to NumPy")
right.legend()
plt.show()

# %% [markdown]
# On the left the dotted lines lie on the solid ones. On the right (where a difference of zero is drawn at
# the bottom) the `float64` walks differ by no more than the last digit or two, presumably because the two
# libraries add up the birds in different orders, so that they round differently. In `float32` about seven
# digits agree, which is all that this dtype has.
#
# ## A tensor lives on a device
#
# A tensor lives on a *device*, which is the `cpu` or an accelerator such as a graphics card.
# `.to(device)` moves it, and what is computed from it is computed there. The first line below asks for
# this machine's accelerator, if it has one, and many PyTorch programs begin in this way. Lesson 4.5 is
# about when a device pays.

# %%
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
torch.manual_seed(0)
matrix = torch.randn(5, 3)  # (5, 3), float32
on_device = matrix.to(device) @ matrix.to(device).T  # (5, 3) @ (3, 5) -> (5, 5)
print(f"computed on {device}")
torch.testing.assert_close(on_device.cpu(), matrix @ matrix.T)  # (5, 3) @ (3, 5) -> (5, 5)

# %% [markdown]
# The result is the same on every device, up to rounding.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert list_bytes > 3 * array_bytes, "a list needs more than three times the memory of an array"
assert np.mean(wrapped < photo) > 0.1, "photo + 100 makes more than a tenth of the numbers smaller"
assert np.all(brighter >= photo), "brighten makes no number smaller"
assert heavy.any() and np.all(labels[heavy] == 2), "the birds over six kilograms are gentoos"
assert original[1] == -1 and original[2] == 2, "a slice is a view, a list of places gives a copy"
assert np.array_equal(draws["seed 0"], draws["seed 0, again"]), "the same seed gives the same numbers"
assert not np.array_equal(draws["seed 0"], draws["seed 1"]), "another seed gives others"
assert torch.tensor([0.1]).dtype == torch.float32, "PyTorch makes float32 of Python's floats"
assert before == [1, 2, 3] and t.tolist() == [2, 3, 4], "only the underscore changes the tensor itself"
assert "dtype" in dtype_error, "matrix products of two dtypes are refused"
assert spreads[0] < spreads[1], "PyTorch's std is larger"
assert abs(spreads[0] - spreads[2]) < 1e-12, "with correction=0 it is NumPy's"
assert array.tolist() == shared.tolist() == [1, 2, 0, 0], "from_numpy shares the memory"
assert copied.tolist() == [0, 0, 0, 0], "torch.tensor copies"
assert np.array_equal(parabola_path, parabola_path_torch.numpy()), "on the parabola every bit agrees"
assert differences[torch.float64].max() < 1e-12, "on the penguins twelve decimals agree in float64"
assert 1e-8 < differences[torch.float32].max() < 1e-5, "in float32 about seven digits agree"

# %% [markdown]
# ## What to remember
#
# - An array or tensor holds numbers of one dtype side by side. Slices are views; masks and lists of
#   places copy.
# - `uint8` wraps round at 256, and nothing warns you. Python's floats become `float32` in PyTorch, so
#   write the dtype where it matters.
# - `axis` is `dim`; a trailing `_` means in place; `from_numpy` shares memory and `torch.tensor` copies.
# - Gradient descent in PyTorch: compute the function, `backward()`, step under `no_grad`, empty `.grad`.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Take out the line `point.grad = None`. Is the walk on the parabola faster or slower, and does it
#    still end at zero? Look at the line `last points`.
# 2. Replace `path.append(point.detach().clone())` by `path.append(point.detach())`. What does the path
#    hold now? Look at the left panel of the last figure.
# 3. In a blank cell at the end: fit the same line with `torch.optim.SGD([parameters], lr=0.1)`, whose
#    methods `zero_grad()` and `step()` replace three lines of `descend_torch`. Take 60 steps, and compare
#    the result with `line_path[-1]`.
#
# ## Sources
#
# - C. R. Harris et al., "Array programming with NumPy", _Nature_ 585, 2020.
# - A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", NeurIPS
#   2019.
# - D. Goldberg, "What every computer scientist should know about floating-point arithmetic", _ACM
#   Computing Surveys_ 23, 1991.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data. R. Michetti, Pikolo Espresso
#   Bar: the photograph, from scikit-image.
