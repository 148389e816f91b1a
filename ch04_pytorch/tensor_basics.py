# %% [markdown]
# # 4.1 Tensors: one strip of memory, many ways to walk it
#
# A warehouse keeps its boxes in one long row. To find the box for shelf 2, place 5, nobody moves a box: a
# slip of paper says how many steps a shelf is, and how many a place. A tensor is that row and that slip.
# Most of what looks like work on a tensor, turning it, cutting it, repeating it, only writes a new slip.
#
# **You will build** `StridedTensor`, which turns, cuts, reshapes and repeats without moving a number, and
# a tour of what PyTorch puts on top: types, random generators, memory shared with NumPy. **You need**
# tensors and their operations (2.1, 2.2) and a first look at PyTorch (2.7).

# %%
import itertools
import math
import platform
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## Is everything there?
#
# Before the first lesson of a library comes the question whether it is installed and what it can use. A
# GPU, or any other *accelerator*, is welcome and not needed: the fallback is the processor. The last line
# is a real test, a product computed where the work will happen.

# %%
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
print(f"Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy {np.__version__}")
print(f"CPU threads {torch.get_num_threads()}, tensors will live on: {device}")
twos, halves = torch.full((2, 3), 2.0, device=device), torch.full((3, 2), 0.5, device=device)
product = twos @ halves  # (2, 3) @ (3, 2) -> (2, 2)
assert product.tolist() == [[3.0, 3.0], [3.0, 3.0]]

# %% [markdown]
# ## On paper first
#
# Memory has no rows and columns. The matrix below is stored as the strip $0, 1, 2, 3, 4, 5$. One step
# down the rows skips three numbers, one step along a row skips one: these are its *strides*, $(3, 1)$. So
# row 1, column 2 is found at $1 \cdot 3 + 2 \cdot 1 = 5$. Its transpose walks the same strip with the
# strides swapped.

# %%
matrix = torch.tensor([[0, 1, 2], [3, 4, 5]])
strip = matrix.untyped_storage()
print(f"shape {tuple(matrix.shape)}   strides {matrix.stride()}   bytes in memory {strip.nbytes()}")
print(f"transposed: shape {tuple(matrix.T.shape)}   strides {matrix.T.stride()}")
assert matrix.stride() == (3, 1) and matrix.T.stride() == (1, 3)
assert matrix[1, 2] == 1 * 3 + 2 * 1 == matrix.T[2, 1]
assert matrix.T.untyped_storage().data_ptr() == strip.data_ptr()  # the same strip

# %% [markdown]
# ## From scratch: a slip of paper
#
# A tensor laid out row by row, with no gaps, is called *contiguous*. Its last axis has stride one, and
# every other axis steps over all that lies to its right:
#
# $$s_k = \prod_{j > k} n_j .$$


# %%
def contiguous_strides(shape):
    """Strides, in elements, of a tensor of this shape stored row by row without gaps."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)  # an empty axis must not wipe out the others
    return tuple(reversed(strides))


print(contiguous_strides((2, 3)), contiguous_strides((5, 28, 28)))
assert contiguous_strides((5, 28, 28)) == torch.empty(5, 28, 28).stride()

# %% [markdown]
# Now the class: a storage that may be shared, an offset where the walk begins, a shape and the strides.
# Element $(i_0, i_1, \dots)$ lives at
#
# $$\text{offset} + \sum_k i_k\, s_k .$$
#
# An index fixes one axis, which then disappears; a slice moves the start and lengthens the step. Neither
# touches the storage.


# %%
class StridedTensor:
    """A view of a flat list, with torch's meaning of shape, strides (in elements) and offset.

    Without strides the storage is read row by row, and ValueError is raised where it does not have as many
    numbers as the shape.
    """

    def __init__(self, storage, shape, strides=None, offset=0):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        self.strides = contiguous_strides(self.shape) if strides is None else tuple(strides)
        if strides is None and len(storage) != math.prod(self.shape):
            raise ValueError(f"a storage of {len(storage)} numbers cannot have shape {self.shape}")

    def __getitem__(self, key):
        """The view at `key`: an integer, a slice, or a tuple of them.

        Raises IndexError outside the shape, and ValueError for a slice whose step is not positive.
        """
        key = key if isinstance(key, tuple) else (key,)
        if len(key) > len(self.shape):
            raise IndexError(f"{len(key)} indices for shape {self.shape}")
        key += (slice(None),) * (len(self.shape) - len(key))  # axes not mentioned are taken whole
        shape, strides, offset = [], [], self.offset
        for index, size, stride in zip(key, self.shape, self.strides):
            if isinstance(index, slice):
                start, stop, step = index.indices(size)
                if step < 1:
                    raise ValueError(f"slice steps must be positive, got {step}")
                shape.append(len(range(start, stop, step)))
                strides.append(stride * step)
                offset += start * stride
            elif -size <= index < size:
                offset += index % size * stride
            else:
                raise IndexError(f"index {index} for an axis of size {size}")
        return StridedTensor(self.storage, shape, strides, offset)

    def transpose(self, i, j):
        """The view with axes i and j exchanged."""
        shape, strides = list(self.shape), list(self.strides)
        shape[i], shape[j] = shape[j], shape[i]
        strides[i], strides[j] = strides[j], strides[i]
        return StridedTensor(self.storage, shape, strides, self.offset)

    def tolist(self):
        """The elements as nested lists, a single number for an empty shape."""
        if not self.shape:
            return self.storage[self.offset]
        return [self[i].tolist() for i in range(self.shape[0])]


# %% [markdown]
# The paper example, then the proof that nothing was copied: a number changed in the strip shows up in
# every view of it.

# %%
ours = StridedTensor(list(range(6)), (2, 3))
turned = ours.transpose(0, 1)
corner = ours[1:, ::2]
print(f"transposed {turned.tolist()}   strides {turned.strides}")
print(f"corner     {corner.tolist()}   strides {corner.strides}   offset {corner.offset}")
assert turned.tolist() == [[0, 3], [1, 4], [2, 5]] and corner.tolist() == [[3, 5]]

ours.storage[5] = 50
assert turned.tolist()[2][1] == corner.tolist()[0][1] == 50

# %% [markdown]
# ## Repeating for free
#
# *Broadcasting* lets a row be added to every row of a matrix. Nobody writes the row down again and again:
# a stride of zero stays where it is, however far we walk. Sizes are compared from the right, and only an
# axis of size one can be stretched.


# %%
def broadcast_to(self, *shape):
    """The view of this shape in which axes of size one, and new ones in front, repeat; as `torch.expand`.

    Raises ValueError where an axis of another size would have to change.
    """
    missing = len(shape) - len(self.shape)
    if missing < 0 or any(old not in (1, new) for old, new in zip(self.shape, shape[missing:])):
        raise ValueError(f"shape {self.shape} does not broadcast to {shape}")
    strides = []
    for k in reversed(range(len(shape))):
        if k < missing:  # a new axis: one step would be as long as everything to its right
            old_size, stride = 1, shape[k + 1] * strides[-1] if strides else 0
        else:
            old_size, stride = self.shape[k - missing], self.strides[k - missing]
        strides.append(stride if old_size == shape[k] else 0)
    return StridedTensor(self.storage, shape, reversed(strides), self.offset)


StridedTensor.broadcast_to = broadcast_to
row = StridedTensor([10, 20, 30], (3,))
print(row.broadcast_to(4, 3).tolist(), "strides", row.broadcast_to(4, 3).strides)
assert row.broadcast_to(4, 3).strides == (0, 1) == torch.zeros(3).expand(4, 3).stride()

# %% [markdown]
# Six numbers, and four of the tensors they can be. The colour of a cell is its place in the strip.

# %%
six = StridedTensor(list(range(6)), (6,))
views = {
    "the strip": StridedTensor(six.storage, (1, 6)),
    "rows of three": StridedTensor(six.storage, (2, 3)),
    "its transpose": StridedTensor(six.storage, (2, 3)).transpose(0, 1),
    "first half, repeated": six[:3].broadcast_to(4, 3),
}
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, (name, view) in zip(axes, views.items()):
    cells = np.array(view.tolist())  # (rows, columns): each element is its own address
    ax.imshow(cells, cmap="viridis", vmin=-2, vmax=5, alpha=0.75)
    for (i, j), address in np.ndenumerate(cells):
        ax.text(j, i, address, ha="center", va="center", fontsize=13)
    ax.hlines(np.arange(cells.shape[0] + 1) - 0.5, -0.5, cells.shape[1] - 0.5, color="0.2", linewidth=1)
    ax.vlines(np.arange(cells.shape[1] + 1) - 0.5, -0.5, cells.shape[0] - 0.5, color="0.2", linewidth=1)
    ax.set_title(f"{name}\nshape {view.shape}, strides {view.strides}", loc="left")
    ax.set(xlim=(-0.6, 5.6), ylim=(3.6, -0.6))
    ax.axis("off")
fig.suptitle("One strip in memory, four tensors: only the walk differs")
plt.show()

# %% [markdown]
# ## When must reshape copy?
#
# A reshape keeps the order of the elements and cuts it into other lengths. Where neighbouring axes make
# one even walk, that is, one step of the outer equals the whole of the inner, they merge into a *run*,
# and a run can be cut anywhere. Across two runs there is no single step, and no slip of paper will do.


# %%
def view_strides(shape, strides, new_shape):
    """Strides that read a tensor as `new_shape` without moving a number, or None where there are none.

    Both shapes must have the same, positive number of elements. The rule is that of `torch.Tensor.view`.
    """
    runs = [] if shape else [[1, 1]]  # [length, step], the last axis first
    for size, stride in zip(reversed(shape), reversed(strides)):
        if runs and (size == 1 or stride == runs[-1][0] * runs[-1][1]):
            runs[-1][0] *= size
        else:
            runs.append([size, stride])
    sizes, new_strides = list(new_shape), []
    for length, step in runs:
        filled = 1
        while sizes and (filled < length or sizes[-1] == 1):
            new_strides.append(filled * step)
            filled *= sizes.pop()
        if filled != length:
            return None
    return tuple(reversed(new_strides))


print("six in a row as (2, 3):      ", view_strides((6,), (1,), (2, 3)))
print("the transpose as six in a row:", view_strides((3, 2), (1, 3), (6,)))
assert view_strides((6,), (1,), (2, 3)) == (3, 1)
assert view_strides((3, 2), (1, 3), (6,)) is None

# %% [markdown]
# With that, `reshape` is a view where one exists and a copy where none does; `is_contiguous` compares the
# strides with those of a fresh tensor, except along axes of size one, where no step is ever taken.


# %%
def is_contiguous(self):
    """Whether the elements lie in the storage row by row without gaps."""
    pairs = zip(self.shape, self.strides, contiguous_strides(self.shape))
    return 0 in self.shape or all(stride == fresh for size, stride, fresh in pairs if size != 1)


def flat(self):
    """The elements as one new list, in the order of their indices."""
    steps = [
        range(0, size * stride, stride) if stride else [0] * size
        for size, stride in zip(self.shape, self.strides)
    ]
    return [self.storage[self.offset + sum(step)] for step in itertools.product(*steps)]


def reshape(self, *shape):
    """The same elements in another shape: a view if there is one, else a copy.

    Raises ValueError where the number of elements would change.
    """
    if math.prod(shape) != math.prod(self.shape):
        raise ValueError(f"cannot reshape {self.shape} to {shape}")
    strides = view_strides(self.shape, self.strides, shape) if math.prod(shape) else contiguous_strides(shape)
    if strides is None:
        return StridedTensor(self.flat(), shape)
    return StridedTensor(self.storage, shape, strides, self.offset)


StridedTensor.is_contiguous, StridedTensor.flat, StridedTensor.reshape = is_contiguous, flat, reshape

# %% [markdown]
# ## The same in PyTorch
#
# The methods have the names that PyTorch gave them, so one function serves both. In all the views below,
# shape, strides, offset, contiguity and values must agree, and ours must copy exactly where `torch` does.
# (The test of this lesson adds some thousand random ones.)

# %%
recipes = {
    "as it is": lambda t: t,
    "one plane": lambda t: t[1],
    "every second row": lambda t: t[:, ::2],
    "last column": lambda t: t[:, :, -1],
    "planes last": lambda t: t.transpose(0, 2),
    "flattened": lambda t: t.reshape(96),
    "split": lambda t: t.reshape(4, 3, 2, 4),
    "merge two": lambda t: t.reshape(24, 4),
    "turn, merge": lambda t: t.transpose(0, 1).reshape(24, 4),
    "turn, merge elsewhere": lambda t: t.transpose(1, 2).reshape(16, 6),
    "turn, split": lambda t: t.transpose(0, 2).reshape(2, 2, 6, 4),
    "cut, then split": lambda t: t[:, 1:5].reshape(4, 2, 2, 4),
    "cut, then flatten": lambda t: t[:, 1:5].reshape(64),
    "repeat": lambda t: t[:, :1].broadcast_to(2, 4, 6, 4),
    "repeat, then flatten": lambda t: t[:1].broadcast_to(3, 6, 4).reshape(72),
}
ours = StridedTensor(list(range(96)), (4, 6, 4))
theirs = torch.arange(96).reshape(4, 6, 4)  # (96,) -> (4, 6, 4)
start = theirs.untyped_storage().data_ptr()
for name, recipe in recipes.items():
    a, b = recipe(ours), recipe(theirs)
    assert (a.shape, a.strides, a.offset) == (tuple(b.shape), b.stride(), b.storage_offset()), name
    assert a.is_contiguous() == b.is_contiguous() and a.tolist() == b.tolist(), name
    copied = a.storage is not ours.storage
    assert copied == (b.untyped_storage().data_ptr() != start), name
    print(f"{name:24s}{'copy' if copied else 'view':8s}shape {str(a.shape):16s}strides {a.strides}")

# %% [markdown]
# PyTorch has two words for it. `view` refuses where it would have to copy, `reshape` copies without a
# word. `contiguous` copies only what is not contiguous yet.

# %%
theirs = torch.arange(6).reshape(2, 3)  # (6,) -> (2, 3)
try:
    theirs.T.view(6)  # (3, 2) has no walk of six even steps
    refusal = "none"
except RuntimeError as error:
    refusal = str(error)
print("view says:", refusal)
assert "not compatible" in refusal
assert theirs.contiguous() is theirs and theirs.T.contiguous().stride() == (2, 1)

# %% [markdown]
# ## A picture mirrored, thinned and cut
#
# Fashion-MNIST holds small pictures of clothes: $28 \times 28$ shades of grey, ten kinds. One picture is
# a strip of 784 numbers. Transposing it, which mirrors it along its diagonal, taking every second pixel
# and cutting it into sixteen patches are three slips of paper. (Lesson 9.6 cuts windows for a convolution
# in the same way.)

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

image = train_images[0]  # (28, 28)
mirrored, thinned = image.T, image[::2, ::2]  # (28, 28) and (14, 14)
patches = image.view(4, 7, 4, 7).transpose(1, 2)  # (4, 7, 4, 7) -> (4, 4, 7, 7): a grid of 7 × 7 patches
for name, view in {"image": image, "mirrored": mirrored, "thinned": thinned, "patches": patches}.items():
    even = "contiguous" if view.is_contiguous() else "not contiguous"
    print(f"{name:10s}shape {str(tuple(view.shape)):16s}strides {str(view.stride()):20s}{even}")
    assert view.data_ptr() == image.data_ptr()  # no pixel was moved
listed = patches.reshape(16, 7, 7)  # (4, 4, 7, 7) -> (16, 7, 7): as a list they have to be copied
assert listed.data_ptr() != image.data_ptr()

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
sheet = np.full((31, 31), np.nan)  # the patches, laid out with gaps
for i, j in itertools.product(range(4), range(4)):
    sheet[8 * i : 8 * i + 7, 8 * j : 8 * j + 7] = patches[i, j].numpy()
titles = {
    "stored: (28, 1)": image.numpy(),
    "transposed: (1, 28)": mirrored.numpy(),
    "thinned: (56, 2)": thinned.numpy(),
}
for ax, (title, picture) in zip(axes, {**titles, "cut: (196, 7, 28, 1)": sheet}.items()):
    ax.imshow(picture, cmap="gray_r")
    ax.set(title=title, xticks=[], yticks=[], facecolor="C0")
fig.suptitle("Four pictures from one strip of memory: only the strides differ")
plt.show()

# %% [markdown]
# ## In place: convenient and shared
#
# A name that ends in an underscore changes the tensor instead of making a new one, and with it every view
# of the same strip. Assigning to a slice does so too. Adding to a broadcast view is refused: one number in
# memory cannot hold four answers.

# %%
board = torch.zeros(3, 4)
column = board[:, 1]  # (3,): a view
column.add_(7)
board[2, :] = 1
print(board)
assert board[:, 1].tolist() == [7, 7, 1] and column.tolist() == [7, 7, 1]
try:
    torch.zeros(3).expand(4, 3).add_(1)
    refusal = "none"
except RuntimeError as error:
    refusal = str(error)
print("on a broadcast view:", refusal)
assert "single memory location" in refusal

# %% [markdown]
# Some indexing makes a view and some a copy. Integers, slices, `None` and `...` only change the slip; a
# list of positions or a mask of booleans picks numbers that no even step connects, and copies them.

# %%
grid = torch.arange(12.0).reshape(3, 4)  # (12,) -> (3, 4)
kinds = {
    "slice": grid[1:],
    "new axis": grid[:, None],  # (3, 4) -> (3, 1, 4)
    "last column": grid[..., -1],
    "list of rows": grid[[0, 2]],
    "boolean mask": grid[grid > 4],
}
start, end = grid.data_ptr(), grid.data_ptr() + grid.numel() * grid.element_size()
for name, result in kinds.items():
    shares = start <= result.data_ptr() < end
    print(f"{name:20s}shape {str(tuple(result.shape)):12s}{'view' if shares else 'copy'}")
    assert shares == (name in ("slice", "new axis", "last column"))

# %% [markdown]
# ## Memory shared with NumPy
#
# `from_numpy` and `.numpy()` hand over the strip itself: no copy, and a change on one side shows on the
# other. `torch.tensor` always copies. Note the type, too: a NumPy array of floats is float64, and stays
# so.

# %%
array = np.array([1.0, 2.0, 3.0])
shared, copied = torch.from_numpy(array), torch.tensor(array)
array[0] = 100
print(f"shared {shared.tolist()}   copied {copied.tolist()}   both {shared.dtype}")
assert shared[0] == 100 and copied[0] == 1
shared.mul_(2)
assert array[0] == 200 and shared.numpy() is not array and np.shares_memory(shared.numpy(), array)

# %% [markdown]
# ## Types and their traps
#
# A Python float becomes float32, a Python integer int64. When types meet, the result takes the higher
# *kind*: bool, integer, float, complex. Within a kind the wider type wins, but a plain Python number, or
# a tensor with no axes, only decides the kind. That is why `x * 0.1` does not turn a float32 network into
# a float64 one.

# %%
half, single, double = (torch.ones(2, dtype=dtype) for dtype in (torch.float16, torch.float32, torch.float64))
integers = torch.ones(2, dtype=torch.int64)
mixtures = {
    "int64 + float16": (integers + half, torch.float16),
    "float32 + float64": (single + double, torch.float64),
    "float32 + 0.1": (single + 0.1, torch.float32),
    "float32 + a float64 number": (single + torch.tensor(0.1, dtype=torch.float64), torch.float32),
    "int64 / int64": (integers / integers, torch.float32),
    "int64 // int64": (integers // integers, torch.int64),
    "uint8 + 300": (torch.ones(2, dtype=torch.uint8) + 300, torch.uint8),
}
for name, (result, dtype) in mixtures.items():
    print(f"{name:28s}{str(result.dtype).removeprefix('torch.'):10s}{result[0].item():g}")
    assert result.dtype == dtype

# %% [markdown]
# The last row went wrong in silence: 301 does not fit in eight bits. Pixels are stored in such bytes, so
# turn them into floats before calculating. Floats have an edge too: beyond $2^{24}$ a float32 cannot
# count one by one. And the order of a sum changes its last digits, which is why two machines, or two
# libraries, agree only to a tolerance.

# %%
light, dark = torch.tensor([200, 100], dtype=torch.uint8)
print("200 + 100 in bytes:", (light + dark).item())
assert (light + dark).item() == (200 + 100) % 256

edge = torch.tensor(2.0**24, dtype=torch.float32)
assert edge + 1 == edge and edge.double() + 1 != edge.double()

large, one = torch.tensor([1e8, 1.0], dtype=torch.float32)
print(f"1e8 + 1 - 1e8 = {(large + one) - large:.0f}, but 1e8 - 1e8 + 1 = {(large - large) + one:.0f}")
assert (large + one) - large == 0 and (large - large) + one == 1

# %% [markdown]
# ## Reductions
#
# A reduction folds an axis away: `dim` names the axis that disappears. With `keepdim=True` it stays as
# size one, and the result broadcasts against what it came from. Forget it, and a square matrix gives the
# wrong answer without an error.

# %%
brightness = train_images.mean(dim=(1, 2))  # (5000, 28, 28) -> (5000,)
mean_image = train_images.mean(dim=0)  # (5000, 28, 28) -> (28, 28)
inkiest = train_labels[brightness.argmax()].item()
print(f"mean ink of a picture: {brightness.min():.3f} to {brightness.max():.3f}, the most in class {inkiest}")
torch.testing.assert_close(mean_image.mean(), brightness.mean())

square = torch.tensor([[1.0, 3.0], [10.0, 30.0]])
centered = square - square.mean(dim=1, keepdim=True)  # (2, 2) - (2, 1): each row loses its own mean
mixed_up = square - square.mean(dim=1)  # (2, 2) - (2,): each column loses some row's mean
print(f"row means with keepdim {centered.mean(dim=1).tolist()}, without {mixed_up.mean(dim=1).tolist()}")
assert centered.mean(dim=1).tolist() == [0, 0] != mixed_up.mean(dim=1).tolist()

# %% [markdown]
# ## One notation for all products
#
# `einsum` names the axes: letters that are repeated in the inputs are matched, letters missing on the
# right are summed over. It spells matrix products, batches of them, transposes and traces alike. Below,
# the mean picture of each class is one product of a table of memberships with all images.

# %%
membership = torch.nn.functional.one_hot(train_labels, 10).float()  # (5000, 10)
totals = torch.einsum("nc,nhw->chw", membership, train_images)  # (5000, 10), (5000, 28, 28) -> (10, 28, 28)
class_means = totals / membership.sum(dim=0)[:, None, None]  # (10, 28, 28) / (10, 1, 1)
for label in range(10):
    torch.testing.assert_close(class_means[label], train_images[train_labels == label].mean(dim=0))

torch.manual_seed(0)
a, b = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(5, 3, 4, dtype=torch.float64)
torch.testing.assert_close(torch.einsum("bij,bjk->bik", a, b), a @ b)  # (5, 2, 3) @ (5, 3, 4) -> (5, 2, 4)
torch.testing.assert_close(torch.einsum("bij->bji", a), a.transpose(1, 2))  # (5, 2, 3) -> (5, 3, 2)

# %% [markdown]
# ## Random, and the same every time
#
# A *generator* is a machine with a state: every number drawn moves it on. Seeding sets the state, so the
# same seed and the same draws give the same numbers. Two generators do not disturb each other, and a
# saved state lets a run continue where it stopped, which lesson 4.4 will need.

# %%
generator = torch.Generator().manual_seed(0)
first = torch.rand(3, generator=generator)
state = generator.get_state()
second = torch.rand(3, generator=generator)
assert not torch.equal(first, second)

torch.rand(1000)  # the global generator moves, ours does not
generator.set_state(state)
assert torch.equal(torch.rand(3, generator=generator), second)
assert torch.equal(torch.rand(3, generator=torch.Generator().manual_seed(0)), first)
print("first ", first.tolist(), "\nsecond", second.tolist())

# %% [markdown]
# A seed promises the same numbers for the same program, the same version of the library and the same kind
# of device, no more. NumPy and PyTorch with the same seed differ, and so do a CPU and a GPU.

# %%
ours = np.random.default_rng(0).random(3)
print("NumPy, seed 0:", ours.round(4), "  PyTorch, seed 0:", first.numpy().round(4))
assert not np.allclose(ours, first)
if device.type != "cpu":
    there = torch.rand(3, generator=torch.Generator(device).manual_seed(0), device=device)
    print(f"{device}, seed 0:", there.cpu().numpy().round(4))

# %% [markdown]
# ## What to remember
#
# - A tensor is a strip of memory with an offset, a shape and strides. Transposing, slicing and
#   broadcasting write new strides; no number moves.
# - `reshape` is free where axes merge into one even walk, and copies where they do not; `view` refuses to
#   copy.
# - Views, in-place operations and NumPy share memory. Lists and masks as indices copy.
# - Write the dtype where it matters. Bytes wrap around, float32 rounds, and the order of a sum shows.
# - Give randomness its own seeded generator; its state can be saved.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Let `reshape` accept one `-1`, the size that the others leave open. What must it refuse?
# 2. Which strides give all overlapping windows of length three of a strip of ten? Make them with
#    `StridedTensor`, then with `torch.as_strided`.
# 3. A step of $-1$ would turn a picture upside down for free. NumPy has it, PyTorch refuses it. Allow it
#    in `__getitem__`: what else must change?
#
# ## Sources
#
# - E. Yang, *PyTorch internals*, 2019: storage, offset and strides.
# - S. van der Walt, S. C. Colbert, G. Varoquaux, "The NumPy array: a structure for efficient numerical
#   computation", *Computing in Science & Engineering* 13, 2011: views and strides.
# - PyTorch documentation, *Tensor views* and *Tensor attributes: type promotion*.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the pictures.
