# %% [markdown]
# # 4.1 Tensors: one block of memory, seen through shape and strides
#
# A photo of twelve million pixels is transposed, and PyTorch needs only a few microseconds for it. How
# can twelve million numbers change places so fast? The answer is that they stay where they are. A tensor
# is a block of memory together with a few numbers that say how to walk through it, and transposing
# changes only the walk.
#
# If you know this, you can tell which lines of a program are free and which copy gigabytes, why a change
# in one tensor shows up in another, and where a wrong shape goes unnoticed. Faults of this kind are
# common in real projects, and they happen before any network is involved.
#
# **You will build** `StridedTensor`, which slices, transposes, broadcasts and reshapes without moving a
# number, and you will try the operations that every later lesson uses. **You need** arrays and
# broadcasting (2.2) and a first look at PyTorch (2.7).

# %%
import itertools
import math
import platform
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
print(f"Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy {np.__version__}")
print(f"an accelerator would be used from lesson 4.4 on; here that is: {device}")

large = torch.zeros(3000, 4000)
first_call = large.T  # what is called for the first time takes longer, so we time the second call
started = time.perf_counter()
transposed = large.T  # (3000, 4000) -> (4000, 3000)
view_seconds = time.perf_counter() - started
started = time.perf_counter()
moved = transposed.contiguous()  # the same numbers, really moved to their new places
copy_seconds = time.perf_counter() - started
print(f"transposed in {1e6 * view_seconds:.0f} microseconds, moved in {1e6 * copy_seconds:,.0f} microseconds")

# %% [markdown]
# ## On paper first
#
# Memory has no rows and columns, only addresses one after the other. The matrix with the rows $0, 1, 2$
# and $3, 4, 5$ is stored as six numbers in a row. To get from one row to the next we skip three numbers,
# and to get from one column to the next we skip one. These two numbers are the *strides* of the tensor,
# here $(3, 1)$. To find an element, we multiply each of its indices by the stride of its axis and add.
#
# $$\begin{aligned}
#   \text{address of } (i, j) &= i \cdot 3 + j \cdot 1 \\
#   \text{address of } (1, 2) &= 1 \cdot 3 + 2 \cdot 1 = 5 \\
#   \text{transposed, address of } (2, 1) &= 2 \cdot 1 + 1 \cdot 3 = 5
# \end{aligned}$$
#
# The transposed matrix has the strides $(1, 3)$ and finds the same number at the same address, so nothing
# has to move. PyTorch shows the strides of a tensor when we ask for them.

# %%
matrix = torch.tensor([[0, 1, 2], [3, 4, 5]])
print(f"shape {tuple(matrix.shape)}   strides {matrix.stride()}   element (1, 2) is {matrix[1, 2].item()}")
print(f"transposed: shape {tuple(matrix.T.shape)}   strides {matrix.T.stride()}")
assert matrix.stride() == (3, 1) and matrix.T.stride() == (1, 3)
assert matrix.T.data_ptr() == matrix.data_ptr()  # both begin at the same address

# %% [markdown]
# ## A tensor from scratch
#
# A tensor that is stored row by row without gaps is called *contiguous*. Its last axis has stride one,
# and every other axis skips all that lies to its right, which is the product of the sizes there:
#
# $$s_k = n_{k+1} \cdot n_{k+2} \cdots n_{K} .$$


# %%
def contiguous_strides(shape):
    """Strides, in elements, of a tensor of this shape stored row by row without gaps."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)  # an empty axis must not wipe out the others
    return tuple(reversed(strides))


print(contiguous_strides((2, 3)), contiguous_strides((5, 28, 28)))
assert contiguous_strides((5, 28, 28)) == torch.empty(5, 28, 28).stride()

# %% [markdown]
# The class below holds a flat list, the *storage*, which several tensors may share, an *offset*, which is
# the address where the walk begins, a shape and strides. Element $(i_0, i_1, \dots)$ is found at
# $\text{offset} + i_0 s_0 + i_1 s_1 + \dots$
#
# A tensor that uses the storage of another is a view of it (2.2). Each method below makes a view by
# changing offset, shape and strides:
#
# - A whole number as index fixes one axis. The offset moves there, and the axis disappears.
# - A slice moves the offset to its start and multiplies the stride by its step.
# - Transposing exchanges two sizes and two strides.
# - Broadcasting (2.2) repeats an axis of size one. A stride of zero does that, because then every index
#   leads to the same address.
#
# A reshape keeps the elements in their order. If they lie in memory in that order and without gaps, the
# strides of a fresh tensor of the new shape will do. If they do not, our class copies them into a new
# storage. (When a view would still be possible is a question for the end of this lesson.)


# %%
class StridedTensor:
    """A view of a flat list, with torch's meaning of shape, strides (in elements) and offset.

    Without strides the storage is read row by row; ValueError if it does not have as many numbers as the
    shape.
    """

    def __init__(self, storage, shape, strides=None, offset=0):
        self.storage = storage
        self.shape = tuple(shape)
        self.offset = offset
        self.strides = contiguous_strides(self.shape) if strides is None else tuple(strides)
        if strides is None and len(storage) != math.prod(self.shape):
            raise ValueError(f"a storage of {len(storage)} numbers cannot have shape {self.shape}")

    def view(self, shape, strides, offset):
        """Another tensor of the same class on the same storage."""
        return type(self)(self.storage, shape, strides, offset)

    def __getitem__(self, key):
        """The view at `key`: an integer, a slice, or a tuple of them.

        Raises IndexError outside the shape, and ValueError for a slice whose step is not positive.
        """
        key = key if isinstance(key, tuple) else (key,)
        if len(key) > len(self.shape):
            raise IndexError(f"{len(key)} indices for shape {self.shape}")
        key += (slice(None),) * (len(self.shape) - len(key))  # axes not mentioned are taken whole
        shape = []
        strides = []
        offset = self.offset
        for index, size, stride in zip(key, self.shape, self.strides):
            if isinstance(index, slice):
                start, stop, step = index.indices(size)
                if step < 1:
                    raise ValueError(f"slice steps must be positive, got {step}")
                shape.append(len(range(start, stop, step)))
                strides.append(stride * step)
                offset += start * stride
            elif -size <= index < size:
                offset += index % size * stride  # index % size counts a negative index from the end
            else:
                raise IndexError(f"index {index} for an axis of size {size}")
        return self.view(shape, strides, offset)

    def transpose(self, i, j):
        """The view with axes i and j exchanged."""
        shape = list(self.shape)
        strides = list(self.strides)
        shape[i], shape[j] = shape[j], shape[i]
        strides[i], strides[j] = strides[j], strides[i]
        return self.view(shape, strides, self.offset)

    def broadcast_to(self, *shape):
        """The view of this shape in which axes of size one, and new ones in front, repeat.

        As `torch.Tensor.expand`, up to the strides of new axes of size one, along which no step is taken.
        Raises ValueError if an axis of another size would have to change.
        """
        missing = len(shape) - len(self.shape)
        if missing < 0 or any(old not in (1, new) for old, new in zip(self.shape, shape[missing:])):
            raise ValueError(f"shape {self.shape} does not broadcast to {shape}")
        strides = [0] * missing  # a new axis in front repeats what is there
        for old, new, stride in zip(self.shape, shape[missing:], self.strides):
            strides.append(stride if old == new else 0)  # an axis of size one repeats its single place
        return self.view(shape, strides, self.offset)

    def is_contiguous(self):
        """Whether the elements lie in the storage row by row without gaps."""
        fresh = contiguous_strides(self.shape)
        same = [self.strides[k] == fresh[k] for k, size in enumerate(self.shape) if size != 1]
        return 0 in self.shape or all(same)  # along an axis of size one no step is ever taken

    def strides_for(self, shape):
        """Strides that read this tensor as `shape` without a copy, or None: found if it is contiguous."""
        return contiguous_strides(shape) if self.is_contiguous() else None

    def reshape(self, *shape):
        """The same elements in another shape: a view if `strides_for` finds one, else a copy.

        Raises ValueError if the number of elements would change.
        """
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"cannot reshape {self.shape} to {shape}")
        strides = self.strides_for(shape)
        if strides is None:
            return type(self)(self.flat(), shape)
        return self.view(shape, strides, self.offset)

    def flat(self):
        """The elements as one new list, in the order of their indices."""
        indices = itertools.product(*(range(size) for size in self.shape))
        steps = [sum(i * stride for i, stride in zip(index, self.strides)) for index in indices]
        return [self.storage[self.offset + step] for step in steps]

    def tolist(self):
        """The elements as nested lists, a single number for an empty shape."""
        if not self.shape:
            return self.storage[self.offset]
        return [self[i].tolist() for i in range(self.shape[0])]


# %% [markdown]
# We try the class on the six numbers, in four ways. Before you run the cell, write down the strides that
# each of the four tensors should have. In the figure each square shows the address of its number.

# %%
six = StridedTensor(list(range(6)), (6,))  # each number is its own address
views = {
    "the storage": six.reshape(1, 6),
    "rows of three": six.reshape(2, 3),
    "its transpose": six.reshape(2, 3).transpose(0, 1),
    "first half, repeated": six[:3].broadcast_to(4, 3),
}
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, (name, view) in zip(axes, views.items()):
    cells = np.array(view.tolist())  # (rows, columns)
    ax.imshow(cells, cmap="viridis", vmin=-2, vmax=5, alpha=0.75)
    for (i, j), address in np.ndenumerate(cells):
        ax.text(j, i, address, ha="center", va="center", fontsize=13)
    ax.hlines(np.arange(cells.shape[0] + 1) - 0.5, -0.5, cells.shape[1] - 0.5, color="0.2", linewidth=1)
    ax.vlines(np.arange(cells.shape[1] + 1) - 0.5, -0.5, cells.shape[0] - 0.5, color="0.2", linewidth=1)
    ax.set_title(f"{name}\nshape {view.shape}, strides {view.strides}", loc="left")
    ax.set(xlim=(-0.6, 5.6), ylim=(3.6, -0.6))
    ax.axis("off")
fig.suptitle("Four tensors on one storage of six numbers, which differ in shape and strides")
plt.show()

# %% [markdown]
# All four tensors read the same six numbers in memory. In the transpose, one step to the right skips
# three addresses. In the last tensor a step down has the stride zero and leads to the same address again,
# so three numbers in memory look like twelve. A change in the storage must therefore show up in every
# view, and a reshape of the transpose cannot be a view of ours:

# %%
turned = views["its transpose"]
lined_up = turned.reshape(6)
six.storage[5] = 50
print(f"the transpose sees the change: {turned.tolist()}")
print(f"its reshape is a copy:         {lined_up.tolist()}")
assert turned[2, 1].tolist() == 50 and lined_up.tolist() == [0, 3, 1, 4, 2, 5]
six.storage[5] = 5  # as it was

# %% [markdown]
# ## The same in PyTorch
#
# Our methods have PyTorch's names, so one function serves both libraries. We compare shape, strides,
# offset, contiguity and all elements. (The tests of this lesson add some thousand random views.)

# %%
recipes = {
    "one plane": lambda t: t[1],
    "every second row": lambda t: t[:, ::2],
    "last column": lambda t: t[:, :, -1],
    "planes last": lambda t: t.transpose(0, 2),
    "flattened": lambda t: t.reshape(96),
    "repeated": lambda t: t[:, :1].broadcast_to(2, 4, 6, 4),
    "transposed, flattened": lambda t: t.transpose(0, 1).reshape(96),
}
ours = StridedTensor(list(range(96)), (4, 6, 4))
theirs = torch.arange(96).reshape(4, 6, 4)  # (96,) -> (4, 6, 4)
print(f"{'view':24s}{'shape':>16s}{'strides':>20s}")
for name, recipe in recipes.items():
    our_view = recipe(ours)
    their_view = recipe(theirs)
    print(f"{name:24s}{our_view.shape!s:>16s}{our_view.strides!s:>20s}")
    assert (our_view.shape, our_view.strides) == (tuple(their_view.shape), their_view.stride()), name
    assert our_view.offset == their_view.storage_offset() and our_view.tolist() == their_view.tolist(), name
    assert our_view.is_contiguous() == their_view.is_contiguous(), name

# %% [markdown]
# Our next tensor is a real one. Fashion-MNIST holds small grey pictures of clothes, 28 by 28 pixels, in
# ten classes; they will be with us for most of this chapter. Transposing a picture mirrors it along its
# diagonal, a step of two thins it out, and a reshape with a transpose cuts it into sixteen patches.
# Which of the three will have to copy pixels?

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

image = train_images[0]  # (28, 28)
mirrored = image.T  # (28, 28)
thinned = image[::2, ::2]  # (28, 28) -> (14, 14)
patches = image.view(4, 7, 4, 7).transpose(1, 2)  # (28, 28) -> (4, 7, 4, 7) -> (4, 4, 7, 7)
pictures = {"image": image, "mirrored": mirrored, "thinned": thinned, "patches": patches}
for name, view in pictures.items():
    place = "the same memory" if view.data_ptr() == image.data_ptr() else "a copy"
    print(f"{name:12s}shape {tuple(view.shape)!s:16s}strides {view.stride()!s:20s}{place}")

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
sheet = np.full((31, 31), np.nan)  # the patches, laid out with gaps between them
for i, j in itertools.product(range(4), range(4)):
    sheet[8 * i : 8 * i + 7, 8 * j : 8 * j + 7] = patches[i, j].numpy()
for ax, (name, view) in zip(axes, pictures.items()):
    ax.imshow(sheet if name == "patches" else view.numpy(), cmap="gray_r")
    ax.set(title=f"{name}\nstrides {view.stride()}", xticks=[], yticks=[], facecolor="C0")
fig.suptitle("One picture in memory, read in four ways")
plt.show()

# %% [markdown]
# No pixel is copied in any of them. The four strides in the last panel lead 196 addresses further to the
# patch below, 7 to the patch on the right, and inside a patch 28 down and 1 to the right, as in the
# picture itself. Lesson 9.6 cuts the windows of a convolution in the same way.
#
# Three methods of PyTorch differ in when they copy. `view` refuses if it would have to copy, `reshape`
# copies without a word, and `contiguous()` copies what is not contiguous yet.

# %%
listed = patches.reshape(16, 7, 7)  # (4, 4, 7, 7) -> (16, 7, 7): there is no single stride from 4 to 4
try:
    patches.view(16, 7, 7)
    refusal = "none"
except RuntimeError as error:
    refusal = str(error).split(". ")[0]
print("view says:", refusal)
assert "not compatible" in refusal and listed.data_ptr() != image.data_ptr()

# %% [markdown]
# ## Which lines share memory?
#
# An operation whose name ends in an underscore works in place (2.7): it changes its tensor and, with it,
# every view of the same memory. An assignment to a slice does that, too. Which of the indexings below
# give a view, so that a change of `grid` shows in the result? Decide for each line before you run the
# cell.

# %%
grid = torch.arange(12.0).reshape(3, 4)  # (12,) -> (3, 4)
array = np.zeros(3)
results = {
    "grid[1:]": grid[1:],
    "grid[:, None]": grid[:, None],  # (3, 4) -> (3, 1, 4)
    "grid[..., -1]": grid[..., -1],
    "grid[[0, 2]]": grid[[0, 2]],
    "grid[grid > 4]": grid[grid > 4],
    "grid.clone()": grid.clone(),
    "torch.from_numpy(a)": torch.from_numpy(array),
    "torch.tensor(a)": torch.tensor(array),
}
grid.add_(100)
array += 100
shares_memory = {}
for name, result in results.items():
    shares_memory[name] = bool((result >= 100).all())  # it has seen the change
    print(f"{name:24s}shape {tuple(result.shape)!s:12s}{'view' if shares_memory[name] else 'copy'}")

# %% [markdown]
# Numbers, slices, `None` (a new axis of size one) and `...` (all axes not mentioned) only change offset
# and strides. A list of positions or a mask of booleans picks elements that in general no regular step
# connects, so they are always copied. `from_numpy` and `.numpy()` pass on the memory of the array, while
# `torch.tensor` always copies. If you want a copy of a tensor, say so with `clone()`.
#
# ## Ten operations on a table of scores
#
# A classifier returns a score for each picture and class, and the class with the largest score is its
# answer. Three pictures and four classes are enough to meet the operations of the coming chapters. Say
# first what each line will print, shape and numbers.

# %%
scores = torch.tensor([[2.0, 0.5, 1.0, 0.0], [0.1, 0.2, 3.0, 0.3], [1.0, 4.0, 1.5, 3.5]])  # (3, 4)
labels = torch.tensor([0, 3, 1])  # (3,): the right class of each picture
best, answers = scores.max(dim=1)  # (3, 4) -> (3,) and (3,): the largest of each row, and where it is
top_scores, top_classes = scores.topk(2, dim=1)  # (3, 4) -> (3, 2) and (3, 2): the two largest
right_scores = scores.gather(1, labels[:, None])  # (3, 4) at (3, 1) -> (3, 1): the column of each label
hits = answers == labels  # (3,): booleans
without_class_1 = scores.masked_fill(torch.arange(4) == 1, -torch.inf)  # (3, 4) with (4,) -> (3, 4)
positive = torch.where(scores > 1, scores, 0.0)  # (3, 4): the score where the condition holds, else 0
stacked = torch.stack([scores, scores])  # two (3, 4) -> (2, 3, 4): a new axis
joined = torch.cat([scores, scores])  # two (3, 4) -> (6, 4): an old axis gets longer
channels_last = stacked.permute(1, 2, 0)  # (2, 3, 4) -> (3, 4, 2): the axes in a new order
print(f"answers {answers.tolist()}   right {hits.tolist()}   scores of the labels {right_scores.tolist()}")
print(f"two best classes {top_classes.tolist()}")
print(f"without class 1, the answers are {without_class_1.argmax(dim=1).tolist()}")
print(f"where a score exceeds 1: {positive.tolist()}")
print(f"stack {tuple(stacked.shape)}   cat {tuple(joined.shape)}   permute {tuple(channels_last.shape)}")

# %% [markdown]
# (The score 0.3 is printed as 0.30000001192092896, because float32 has only about seven digits.) The
# operation that takes most practice is `gather`. Here `scores.gather(1, index)[i, j]` is
# `scores[i, index[i, j]]`, so the index says for each row which columns to take. A score of $-\infty$ can
# never be the largest, which is how a forbidden answer is ruled out (12.2). `stack` makes a new axis and
# `cat` does not. The result of `permute` is a view, as with `transpose`, because only the strides change.
#
# ## Reductions, and a trap
#
# A reduction (2.2) such as `sum`, `mean` or `max` makes an axis disappear, the one that `dim` names. With
# `keepdim=True` the axis stays, with size one. Suppose we want to take away from each row of a matrix its
# own mean, so that every row has mean zero. The cell does it with and without `keepdim`. What do you
# expect without it, an error or a result?

# %%
square = torch.tensor([[1.0, 3.0], [10.0, 30.0]])
kept = square.mean(dim=1, keepdim=True)  # (2, 2) -> (2, 1)
dropped = square.mean(dim=1)  # (2, 2) -> (2,)
means_with = (square - kept).mean(dim=1)  # (2, 2) - (2, 1) -> (2, 2) -> (2,)
means_without = (square - dropped).mean(dim=1)  # (2, 2) - (2,) -> (2, 2) -> (2,)
print(f"row means with keepdim {means_with.tolist()}, without {means_without.tolist()}")

# %% [markdown]
# Without `keepdim` the two means have shape $(2,)$, and broadcasting lines up shapes from the right. So
# they are subtracted from the _columns_, and because the matrix is square nothing complains. A matrix
# with three rows would have raised an error. Write the shapes beside such a line, and test it with sizes
# that all differ.
#
# ## Types, and three more traps
#
# A Python float becomes float32, a NumPy array of floats stays float64, and a Python integer becomes
# int64. If two types meet, the result takes the higher kind (boolean, integer, float) and within a kind
# usually the wider type. A plain Python number only decides the kind, so `x * 0.1` keeps a float32
# network in float32. Before you run the cell, predict its last three rows.

# %%
single = torch.ones(2)
double = torch.ones(2, dtype=torch.float64)
integers = torch.ones(2, dtype=torch.int64)
pixels = torch.full((2,), 200, dtype=torch.uint8)
edge = torch.full((2,), 2.0**24)
mixtures = {
    "float32 + float64": single + double,
    "float32 + 0.1": single + 0.1,
    "int64 + float32": integers + single,
    "int64 / int64": integers / integers,
    "uint8: 200 + 100": pixels + 100,
    "float32: 2**24 + 1": edge + 1,
    "float32: 1e8 + 1 - 1e8": single * 1e8 + 1 - 1e8,
}
for name, result in mixtures.items():
    print(f"{name:28s}{str(result.dtype).removeprefix('torch.'):10s}{result[0].item():.10g}")

# %% [markdown]
# Dividing integers gives floats, as the fourth row shows. Eight bits hold the numbers up to 255, so $300$
# becomes $44$ without a warning: turn pixels into floats before you calculate with them. A float32 has
# about seven digits, so beyond $2^{24}$ it cannot count one by one, and a small number that is added to a
# large one is lost. For the same reason a sum depends, in its last digits, on the order of its terms.
# This is why two libraries or two machines agree only up to a tolerance.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
same_memory = [view.data_ptr() == image.data_ptr() for view in pictures.values()]
assert len(same_memory) == 4 and all(same_memory), "mirrored, thinned and cut pictures copy no pixel"
assert six[:3].broadcast_to(4, 3).strides == (0, 1), "broadcasting is a stride of zero"
copies = [name for name, shared in shares_memory.items() if not shared]
assert copies == ["grid[[0, 2]]", "grid[grid > 4]", "grid.clone()", "torch.tensor(a)"], "lists and masks copy"
assert stacked.ndim == scores.ndim + 1 and joined.ndim == scores.ndim, "stack makes a new axis, cat does not"
assert means_with.abs().max() < 1e-6, "with keepdim each row loses its own mean"
assert means_without.abs().max() > 1, "without keepdim a square matrix gives a wrong answer, and no error"
assert mixtures["uint8: 200 + 100"][0] == 300 - 256, "bytes wrap around without a warning"
assert mixtures["float32: 2**24 + 1"][0] == 2**24, "beyond 2**24, float32 cannot count one by one"

# %% [markdown]
# ## Going further
#
# This part answers the question that was left open, when a reshape must copy, and adds two tools:
# `einsum`, one notation for all products, and random generators, which lesson 4.4 needs to resume a run.
#
# ### When must a reshape copy?
#
# Our class copies whatever is not contiguous, and PyTorch copies less often. Its rule looks at
# neighbouring axes. If the stride of the outer one equals size times stride of the inner one, the two
# form one regular walk, and we call it a run. A run can be cut anywhere, but no single stride leads
# across the border of two runs. Two examples:
#
# $$\begin{aligned}
#   \text{shape } (4, 6, 4), \text{ strides } (24, 4, 1):&\quad 24 = 6 \cdot 4,\; 4 = 4 \cdot 1
#     &&\text{one run of } 96 \text{ in steps of } 1 \\
#   \text{shape } (3, 2), \text{ strides } (1, 3):&\quad 1 \ne 2 \cdot 3
#     &&\text{two runs, of } 3 \text{ and of } 2
# \end{aligned}$$
#
# The first can take any shape. The second cannot become $(6,)$, because one stride would have to serve
# both runs. The function first collects the runs, from the last axis to the first. Then it fills each run
# with axes of the new shape, again from the last. If the sizes do not fill a run exactly, there is no
# view.


# %%
def view_strides(shape, strides, new_shape):
    """Strides that read a tensor as `new_shape` without moving a number, or None if there are none.

    Both shapes must have the same, positive number of elements. The rule is that of `torch.Tensor.view`.
    """
    runs = [] if shape else [[1, 1]]  # [length, step], the last axis first
    for size, stride in zip(reversed(shape), reversed(strides)):
        if runs and (size == 1 or stride == runs[-1][0] * runs[-1][1]):
            runs[-1][0] *= size  # this axis continues the run
        else:
            runs.append([size, stride])  # a new run begins
    sizes = list(new_shape)
    new_strides = []
    for length, step in runs:
        filled = 1
        while sizes and (filled < length or sizes[-1] == 1):  # the run has room, or the axis needs none
            new_strides.append(filled * step)
            filled *= sizes.pop()
        if filled != length:
            return None
    return tuple(reversed(new_strides))


class ViewTensor(StridedTensor):
    """A `StridedTensor` that copies only where `torch.reshape` does."""

    def strides_for(self, shape):
        return (
            view_strides(self.shape, self.strides, shape) if math.prod(shape) else contiguous_strides(shape)
        )


cuts = {
    "merge two": lambda t: t.reshape(24, 4),
    "transpose, merge": lambda t: t.transpose(0, 1).reshape(24, 4),
    "transpose, split": lambda t: t.transpose(0, 2).reshape(2, 2, 6, 4),
    "cut, then split": lambda t: t[:, 1:5].reshape(4, 2, 2, 4),
    "cut, then flatten": lambda t: t[:, 1:5].reshape(64),
    "repeat, then flatten": lambda t: t[:1].broadcast_to(3, 6, 4).reshape(72),
}
exact = ViewTensor(list(range(96)), (4, 6, 4))
for name, cut in cuts.items():
    copied = cut(exact).storage is not exact.storage
    assert copied == (cut(theirs).untyped_storage().data_ptr() != theirs.data_ptr()), name
    assert cut(exact).tolist() == cut(theirs).tolist(), name
    print(f"{name:24s}{'copy' if copied else 'view':8s}strides {cut(exact).strides}")

# %% [markdown]
# A cut tensor can still be split, because splitting stays inside one run. Flattening it has to copy.
#
# ### One notation for all products
#
# `einsum` gives a letter to every axis. A letter that occurs in both inputs is matched, and a letter that
# is missing on the right of the arrow is summed over. Matrix products, batches of them, transposes and
# traces are all written in this way. Below, the mean picture of each class is one product of a table of
# memberships with all the pictures.

# %%
membership = torch.nn.functional.one_hot(train_labels, 10).float()  # (5000, 10): 1 where it belongs
totals = torch.einsum("nc,nhw->chw", membership, train_images)  # (5000, 10), (5000, 28, 28) -> (10, 28, 28)
class_means = totals / membership.sum(dim=0)[:, None, None]  # (10, 28, 28) / (10, 1, 1)
for label in range(10):
    torch.testing.assert_close(class_means[label], train_images[train_labels == label].mean(dim=0))
ink = class_means.mean(dim=(1, 2))  # (10, 28, 28) -> (10,)
print(f"most ink: {CLASSES[ink.argmax()]}, least ink: {CLASSES[ink.argmin()]}")

torch.manual_seed(0)
a = torch.randn(5, 2, 3, dtype=torch.float64)
b = torch.randn(5, 3, 4, dtype=torch.float64)
torch.testing.assert_close(torch.einsum("bij,bjk->bik", a, b), a @ b)  # (5, 2, 3) @ (5, 3, 4) -> (5, 2, 4)
torch.testing.assert_close(torch.einsum("bij->bji", a), a.transpose(1, 2))  # (5, 2, 3) -> (5, 3, 2)

# %% [markdown]
# ### Random, and the same every time
#
# A *random generator* is a small machine with a state, and every number that is drawn moves the state on.
# A seed sets the state, so the same seed and the same draws give the same numbers. A generator of one's
# own is not disturbed by draws elsewhere, and its state can be saved and put back.

# %%
generator = torch.Generator().manual_seed(0)
first = torch.rand(3, generator=generator)
state = generator.get_state()
second = torch.rand(3, generator=generator)
disturbance = torch.rand(1000)  # drawn from the global generator
generator.set_state(state)
second_again = torch.rand(3, generator=generator)
numpy_draw = np.random.default_rng(0).random(3)
print("first        ", first.numpy().round(4))
print("second       ", second.numpy().round(4))
print("second again ", second_again.numpy().round(4))
print("NumPy, seed 0", numpy_draw.round(4))
assert torch.equal(second, second_again) and not torch.equal(first, second)

# %% [markdown]
# A seed promises the same numbers for the same program, the same version of the library and the same kind
# of device, and no more. NumPy and PyTorch differ, as the last line shows, and so do a CPU and a GPU.
#
# ## What to remember
#
# - A tensor is a storage with an offset, a shape and strides. Transposing, slicing and broadcasting make
#   views: new strides, the same memory.
# - `view` refuses to copy, `reshape` copies if it must, `clone` and `contiguous` say so.
# - Views, in-place operations and NumPy share memory. Lists and masks as indices copy.
# - Keep the reduced axis with `keepdim=True` if the result goes back to what it came from.
# - Bytes wrap around, float32 rounds, and the order of a sum shows in its last digits.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `views`, let the last tensor be `six[:3].broadcast_to(3, 3).transpose(0, 1)`. Which strides will
#    stand above the fourth panel of the first figure, and how will its addresses run?
# 2. Give `square` a third row, `[5.0, 7.0]`. What do the two lines of the reduction say now, and why is
#    that better than before?
# 3. From a blank cell: all windows of three neighbours of the numbers 0 to 9 are a tensor of shape
#    $(8, 3)$ that needs no copy. Build it as a `StridedTensor`, and compare it with
#    `torch.arange(10).unfold(0, 3, 1)`: shape, strides and elements.
#
# ## Sources
#
# - E. Yang, _PyTorch internals_, 2019: storage, offset and strides.
# - S. van der Walt, S. C. Colbert, G. Varoquaux, "The NumPy array: a structure for efficient numerical
#   computation", _Computing in Science & Engineering_ 13, 2011: views and strides. Reproduced: "mirrored,
#   thinned and cut pictures copy no pixel".
# - PyTorch documentation, _Tensor views_ and _Tensor attributes_ (type promotion).
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the pictures.
