# %% [markdown]
# # 6.6 Tensor autograd: one node for a whole array
#
# The engine of lesson 6.3 makes a node for every single number. That is like a shop that writes a receipt
# for every apple instead of one for the whole crate. Here a node holds a whole array. Then the number of
# nodes depends on how much code we write and not on how much data we have, and the engine becomes fast
# enough for real networks. This is how PyTorch, JAX and the other libraries are built.
#
# What has to change in the engine? The walk through the graph stays, and each operation needs a
# vector-Jacobian product (6.1) in place of a slope. One thing is new, and an engine that forgets it goes
# wrong without any message: broadcasting (2.2).
#
# **You will build** a `Tensor` that differentiates itself, in NumPy, and train two networks on it, one
# that tells penguins apart and one that spells names. **You need** broadcasting (2.2), vector-Jacobian
# products (6.1), the engine on single numbers (6.3), and the gradients of the names network (6.4).

# %%
import csv
import gc
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two examples, the rows $(1, 2)$ and $(3, 4)$, get the bias $b = (10, 20)$. NumPy broadcasts it, that is,
# it acts as if $b$ had been copied into both rows. The loss multiplies the four results by $1, 2, 3, 4$
# and adds up:
#
# $$\begin{aligned}
#   x + b &= \begin{pmatrix} 1 + 10 & 2 + 20 \\ 3 + 10 & 4 + 20 \end{pmatrix}
#   \qquad
#   \frac{\partial L}{\partial (x + b)} = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \\
#   L &= 1 \cdot 11 + 2 \cdot 22 + 3 \cdot 13 + 4 \cdot 24
# \end{aligned}$$
#
# The first bias enters twice, with the factors $1$ and $3$, so its gradient is $4$. The second enters
# with $2$ and $4$, so its gradient is $6$. Now suppose that an engine passes the gradient of a sum on
# unchanged, as in lesson 6.3. What will the bias be after a step?

# %%
paper_x = np.array([[1.0, 2.0], [3.0, 4.0]])  # (2, 2)
paper_bias = np.array([10.0, 20.0])  # (2,)
factors = np.array([[1.0, 2.0], [3.0, 4.0]])  # (2, 2)
nudges = 1e-6 * np.eye(2)
losses_up = [((paper_x + (paper_bias + nudge)) * factors).sum() for nudge in nudges]
losses_down = [((paper_x + (paper_bias - nudge)) * factors).sum() for nudge in nudges]
measured = (np.array(losses_up) - np.array(losses_down)) / 2e-6
print(f"measured gradient of the bias {measured.round(6)}")
np.testing.assert_allclose(measured, [4, 6], rtol=1e-6)

moved = paper_bias - 0.1 * factors  # a step with the gradient passed on unchanged
print(f"the bias had shape {paper_bias.shape} and has {moved.shape} after the step")

# %% [markdown]
# The bias has become a matrix with one row for each example, and no error was raised. The next forward
# pass would run on with it. What the rule leaves out is that the bias was copied. Each copy's gradient
# belongs to the original, and the gradients of all copies add up. So backward we sum over every axis
# along which forward copied. Those are the axes that broadcasting put in front, and those of length one
# that it stretched.


# %%
def unbroadcast(grad, shape):
    """Sum `grad` over the axes along which an array of `shape` was broadcast; returns that shape."""
    if grad.shape == shape:
        return grad
    n_in_front = grad.ndim - len(shape)
    grad = grad.sum(axis=tuple(range(n_in_front)))  # the axes in front; axis=() would sum over none
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return grad.sum(axis=stretched, keepdims=True)  # the axes of length one: summed, kept with length one


print(f"summed over the rows: {unbroadcast(factors, paper_bias.shape)}")
assert unbroadcast(factors, paper_bias.shape).tolist() == [4.0, 6.0]
assert unbroadcast(np.ones((5, 4, 3)), (4, 1)).tolist() == [[15.0]] * 4

# %% [markdown]
# ## The tensor
#
# A `Value` stored one slope for each parent. For arrays this would be a Jacobian, which nobody builds
# (6.1). So a `Tensor` stores a function instead, `_vjp`, which takes the gradient of the result and returns
# one gradient for each parent. If $C$ is the result and $G = \partial L / \partial C$, the operations of
# our networks need these functions:
#
# | operation | gradients of the parents |
# | --- | --- |
# | $A + B$ | $G$ and $G$, each un-broadcast |
# | $A \odot B$, element by element | $G \odot B$ and $G \odot A$, each un-broadcast |
# | $A B$, matrix product | $G B^\top$ and $A^\top G$ |
# | $f(A)$, element by element | $G \odot f'(A)$ |
# | sum over some axes | $G$, broadcast to the shape of $A$ |
# | reshape, transpose | $G$, shaped back |
# | $A[\text{key}]$ | zeros, with $G$ added at the places of the key |
#
# The last row adds, because a place may be picked more than once, as in the embedding of lesson 6.4. The
# order of the walk is again a topological order, and the function for it is the one of lesson 6.3.


# %%
def topological_order(root):
    """All nodes that `root` was made from, then `root`; each stands after its parents."""
    order = []
    seen = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node is None:  # a marker: the parents of the node below it are listed by now
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            stack += node._parents
    return order


class Tensor:
    """A float64 array that remembers how it was made; `backward()` fills `grad` in all it was made from.

    _parents: the tensors it was made from, _vjp: a function from its gradient to those of the parents.
    Do not change `data` in place between forward and backward.
    """

    __slots__ = ("data", "grad", "_parents", "_vjp", "_op")
    __array_ufunc__ = None  # tells NumPy to leave `array + tensor` to our __radd__

    def __init__(self, data, _parents=(), _vjp=None, _op=""):
        self.data = np.asarray(data, dtype=np.float64)
        self.grad = None  # an array of data's shape, after backward
        self._parents = _parents
        self._vjp = _vjp
        self._op = _op

    def __repr__(self):
        return f"Tensor({self.data}, op={self._op!r})"

    def __add__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        shape_a = self.data.shape
        shape_b = other.data.shape

        def vjp(grad):
            return unbroadcast(grad, shape_a), unbroadcast(grad, shape_b)

        return Tensor(self.data + other.data, (self, other), vjp, "add")

    def __mul__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        a = self.data
        b = other.data

        def vjp(grad):
            return unbroadcast(grad * b, a.shape), unbroadcast(grad * a, b.shape)

        return Tensor(a * b, (self, other), vjp, "mul")

    def __matmul__(self, other):
        """Product of matrices or of stacks of them, as `np.matmul`; ValueError for fewer than two axes."""
        other = other if isinstance(other, Tensor) else Tensor(other)
        a = self.data
        b = other.data
        if min(a.ndim, b.ndim) < 2:
            raise ValueError(f"matrices or stacks of them, not arrays of shape {a.shape} and {b.shape}")

        def vjp(grad):
            grad_a = grad @ b.swapaxes(-1, -2)  # (..., n, m) @ (..., m, k) -> (..., n, k)
            grad_b = a.swapaxes(-1, -2) @ grad  # (..., k, n) @ (..., n, m) -> (..., k, m)
            return unbroadcast(grad_a, a.shape), unbroadcast(grad_b, b.shape)

        return Tensor(a @ b, (self, other), vjp, "matmul")  # (..., n, k) @ (..., k, m) -> (..., n, m)

    def _elementwise(self, values, slopes, op):
        """A node for a function of each element: its values and its slopes, arrays of self's shape."""
        return Tensor(values, (self,), lambda grad: (grad * slopes,), op)

    def __pow__(self, exponent):
        """self ** exponent for a plain number."""
        slopes = exponent * self.data ** (exponent - 1) if exponent else np.zeros_like(self.data)
        return self._elementwise(self.data**exponent, slopes, "pow")

    def exp(self):
        values = np.exp(self.data)
        return self._elementwise(values, values, "exp")

    def log(self):
        return self._elementwise(np.log(self.data), 1 / self.data, "log")

    def tanh(self):
        values = np.tanh(self.data)
        return self._elementwise(values, 1 - values * values, "tanh")

    def relu(self):
        return self._elementwise(np.maximum(self.data, 0), 1.0 * (self.data > 0), "relu")

    def sum(self, axis=None, keepdims=False):
        """Sum over `axis` (an int, a tuple, or None for all), as `np.sum`."""
        shape = self.data.shape
        kept_shape = np.sum(self.data, axis=axis, keepdims=True).shape

        def vjp(grad):
            return (np.broadcast_to(grad.reshape(kept_shape), shape),)

        return Tensor(np.sum(self.data, axis=axis, keepdims=keepdims), (self,), vjp, "sum")

    def mean(self, axis=None, keepdims=False):
        """Mean over `axis`, as `np.mean`."""
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def reshape(self, *shape):
        old_shape = self.data.shape
        values = self.data.reshape(*shape)
        return Tensor(values, (self,), lambda grad: (grad.reshape(old_shape),), "reshape")

    @property
    def T(self):
        return Tensor(self.data.T, (self,), lambda grad: (grad.T,), "transpose")

    def __getitem__(self, key):
        """self[key] for any index that NumPy takes."""
        shape = self.data.shape

        def vjp(grad):
            grad_all = np.zeros(shape)
            np.add.at(grad_all, key, grad)
            return (grad_all,)

        return Tensor(self.data[key], (self,), vjp, "getitem")

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -other

    def __truediv__(self, other):
        return self * other**-1.0

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return self**-1.0 * other

    def __rmatmul__(self, other):
        return Tensor(other) @ self

    def backward(self, grad=None):
        """Add d(self · grad)/d(leaf) to the grad of every leaf; set it anew on every inner node.

        grad: an array of self's shape, 1 for a single number. Raises ValueError for another shape.
        """
        grad = np.ones(()) if grad is None else np.array(grad, dtype=np.float64)
        if grad.shape != self.data.shape:
            raise ValueError(f"the tensor has shape {self.data.shape} but its gradient {grad.shape}")
        order = topological_order(self)
        for node in order:
            if node._parents:
                node.grad = None
        self.grad = grad if self.grad is None else self.grad + grad
        for node in reversed(order):
            if not node._parents:
                continue
            for parent, grad_parent in zip(node._parents, node._vjp(node.grad), strict=True):
                if parent.grad is not None:
                    parent.grad = parent.grad + grad_parent  # not in place: the array may be shared
                elif parent._parents:
                    parent.grad = grad_parent
                else:
                    parent.grad = np.array(grad_parent)  # a leaf gets an array of its own


# %% [markdown]
# We check it three times: on the paper example, on a tensor that is used twice, before and after a reset,
# and on one expression with every operation and several kinds of broadcasting, whose lines serve our
# tensors and PyTorch's alike.

# %%
leaf_x = Tensor(paper_x)
leaf_bias = Tensor(paper_bias)
((leaf_x + leaf_bias) * factors).backward(np.ones((2, 2)))
print(f"gradient of the bias {leaf_bias.grad}")
assert leaf_bias.grad.tolist() == [4.0, 6.0]

leaf = Tensor(3.0)
out = leaf * leaf + leaf
out.backward()
first_grad = leaf.grad
leaf.grad = None
out.backward()
assert leaf.grad == first_grad == 7.0

arrays = [rng.normal(size=shape) for shape in ((2, 4, 3), (5, 3), (5,), (4, 1), (4, 5))]
results = []
for make in (Tensor, lambda array: torch.tensor(array, requires_grad=True)):
    leaves = [make(array) for array in arrays]
    stack, weight, bias, scale, weights_out = leaves
    h = (stack @ weight.T + bias).tanh() * scale  # (2, 4, 3) @ (3, 5) -> (2, 4, 5), bias (5,), scale (4, 1)
    h = (h - h.mean(axis=0)) / (1 + (h * h).sum(axis=-1, keepdims=True)) ** 0.5  # (2, 4, 5)
    h = h.reshape(8, 5)[[0, 3, 3, 7]]  # (2, 4, 5) -> (8, 5) -> (4, 5): row 3 twice
    out = (1 - h).relu() + (2 + h.exp()).log() - 3 / (h * h + 1)  # (4, 5)
    (out * weights_out).sum().backward()
    results.append([np.asarray(array) for array in (out.data, *(leaf.grad for leaf in leaves))])
largest = max(np.abs(ours - theirs).max() for ours, theirs in zip(*results, strict=True))
print(f"largest difference between values and gradients: {largest:.1e}")
assert largest < 1e-12, "Tensor and torch.Tensor disagree"

# %% [markdown]
# ## One node for a thousand
#
# How much does the coarser node save? We take the penguin network of lesson 6.3, with two measurements,
# two hidden layers, one score, the hinge loss and a small cost for large weights.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm")
SPECIES = ("Adelie", "Chinstrap")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

n_train = 100
shuffled = rng.permutation(len(birds))
measurements = measurements[shuffled]  # (n, 2)
labels = labels[shuffled]  # (n,)
center = measurements[:n_train].mean(axis=0)  # (2,)
spread = measurements[:n_train].std(axis=0)  # (2,)
features = (measurements - center) / spread  # (n, 2)
targets = 2.0 * labels - 1  # (n,): +1 for a chinstrap


def initial_weights(sizes, rng):
    """A list of (weight, bias) arrays for an MLP of these sizes, He's spread (6.5)."""
    pairs = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        weight = rng.normal(scale=(2 / n_in) ** 0.5, size=(n_out, n_in))
        pairs.append((weight, rng.normal(scale=0.1, size=n_out)))
    return pairs


def penguin_scores(layers, x):
    """Scores (n,) of an MLP for birds x (n, 2).

    layers: pairs (weight, bias) of our tensors or of PyTorch's, which both know @, .T, relu and sum.
    """
    for weight, bias in layers[:-1]:
        x = (x @ weight.T + bias).relu()  # (n, n_in) @ (n_in, n_out) -> (n, n_out)
    weight, bias = layers[-1]
    return (x @ weight.T + bias).reshape(-1)  # (n, 16) @ (16, 1) -> (n, 1) -> (n,)


def penguin_loss(layers, x, t):
    """Mean hinge loss of an MLP plus the cost of its weights; x: (n, 2), t: (n,) of +1 and -1."""
    scores = penguin_scores(layers, x)  # (n,)
    cost = sum((p * p).sum() for layer in layers for p in layer)
    return (1 - t * scores).relu().mean() + 1e-4 * cost


# %% [markdown]
# For comparison we need the engine on single numbers, cut down to what this loss uses.


# %%
class Value:
    """Lesson 6.3's number that remembers how it was made; only +, * and relu."""

    __slots__ = ("data", "grad", "_parents", "_slopes")

    def __init__(self, data, _parents=(), _slopes=()):
        self.data = data
        self.grad = 0.0
        self._parents = _parents
        self._slopes = _slopes

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def relu(self):
        return Value(max(self.data, 0.0), (self,), (1.0 if self.data > 0 else 0.0,))

    def backward(self):
        order = topological_order(self)
        self.grad = 1.0
        for node in reversed(order):
            for parent, slope in zip(node._parents, node._slopes):
                parent.grad += node.grad * slope


def value_loss(layers, x, t):
    """`penguin_loss` on lists of Values: layers of (rows, biases), x: n lists of numbers, t: n numbers."""
    total = Value(0.0)
    for numbers, target in zip(x, t):
        for i, (rows, biases) in enumerate(layers):
            sums = [sum((w * h for w, h in zip(row, numbers)), b) for row, b in zip(rows, biases)]
            numbers = [s.relu() for s in sums] if i < len(layers) - 1 else sums
        total += (numbers[0] * -target + 1.0).relu()
    cost = sum((p * p for rows, biases in layers for row in (*rows, biases) for p in row), Value(0.0))
    return total * (1 / len(t)) + cost * 1e-4


# %% [markdown]
# All three engines must find the same gradients. Then we measure nodes and time for more and more birds.
# How will the number of nodes grow for `Value`, and how for `Tensor`? Python's cyclic garbage collector
# (6.3) is paused while we measure.

# %%
weights = initial_weights([2, 16, 16, 1], rng)
tensor_layers = [(Tensor(weight), Tensor(bias)) for weight, bias in weights]
torch_layers = [tuple(torch.tensor(array, requires_grad=True) for array in layer) for layer in weights]
value_layers = []
for weight, bias in weights:
    rows = [[Value(w) for w in row] for row in weight.tolist()]
    value_layers.append((rows, [Value(b) for b in bias.tolist()]))


def tensor_engine(n):
    """The loss of the first n birds, by `Tensor`."""
    return penguin_loss(tensor_layers, features[:n], targets[:n])


def torch_engine(n):
    """The same by `torch.Tensor`."""
    return penguin_loss(torch_layers, torch.tensor(features[:n]), torch.tensor(targets[:n]))


def value_engine(n):
    """The same by `Value`."""
    return value_loss(value_layers, features[:n].tolist(), targets[:n].tolist())


engines = {"Value": value_engine, "Tensor": tensor_engine, "torch.Tensor": torch_engine}
for engine in engines.values():
    engine(n_train).backward()
for (rows, biases), ours, theirs in zip(value_layers, tensor_layers, torch_layers, strict=True):
    value_grads = np.array([[value.grad for value in row] for row in rows])  # (n_out, n_in)
    np.testing.assert_allclose(value_grads, ours[0].grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([value.grad for value in biases], ours[1].grad, rtol=1e-9, atol=1e-12)
    for our_tensor, their_tensor in zip(ours, theirs):
        np.testing.assert_allclose(our_tensor.grad, their_tensor.grad, rtol=1e-10, atol=1e-12)


def milliseconds(step, *args, n_times=3):
    """Median time of step(*args), with Python's search for reference circles put off."""
    enabled = gc.isenabled()
    seconds = []
    gc.disable()
    try:
        for _ in range(n_times):
            start = time.perf_counter()
            step(*args)
            seconds.append(time.perf_counter() - start)
    finally:
        if enabled:
            gc.enable()
    return 1000 * float(np.median(seconds))


def there_and_back(engine, n):
    """Forward and backward for n birds."""
    engine(n).backward()


sizes = (1, 3, 10, 30, 100)
times = {name: [milliseconds(there_and_back, engine, n) for n in sizes] for name, engine in engines.items()}
nodes = {}
for name in ("Value", "Tensor"):
    nodes[name] = [len(topological_order(engines[name](n))) for n in sizes]
print(f"{f'{sizes[-1]} birds':20s}{'nodes':>12s}{'ms':>12s}")
for name, line in times.items():
    count = f"{nodes[name][-1]:,}" if name in nodes else ""
    print(f"{name:20s}{count:>12s}{line[-1]:12.2f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for (name, line), style in zip(times.items(), ("o-", "s--", "^:")):
    if name in nodes:
        left.loglog(sizes, nodes[name], style, label=name)
    right.loglog(sizes, line, style, label=name)
left.set(xlabel="birds in the batch", ylabel="nodes in the graph", title="Size of the graph")
right.set(xlabel="birds in the batch", ylabel="forward and backward (ms)", title="Time of one pass")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# The graph of `Value` grows with every bird. That of `Tensor` keeps its size, because the birds are inside
# the arrays. The times grow in a similar way. Probably each node costs about the same in Python, whatever
# it holds, and for arrays as small as these the arithmetic hardly counts. That would also explain why
# PyTorch is hardly faster than our engine here, if at all.
#
# ## Training on it
#
# A training step computes the loss, resets the gradients, goes backward and changes the parameters. We can
# write it once for every network whose parameters are tensors. We train two: first the penguins' network,
# then the network of lesson 6.4, which predicts the letter that follows three others (for names of your
# own, 6.4 says how). There we wrote each line of the backward pass by hand. Here we only write the forward
# pass.


# %%
def training_step(parameters, learning_rate, loss_function, *args):
    """One step of gradient descent on loss_function(*args); returns the loss before it, a plain number."""
    loss = loss_function(*args)
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    for parameter in parameters:
        parameter.data = parameter.data - learning_rate * parameter.grad
    return loss.data.item()


def names_loss(p, x, y, eps=1e-5):
    """Cross-entropy of embedding, linear, batch norm, tanh, linear; p: tensors in that order."""
    embedding, weight1, bias1, gamma, beta, weight2, bias2 = p
    flat = embedding[x].reshape(len(x), -1)  # (B, 3, E) -> (B, 3 * E)
    z = flat @ weight1.T + bias1  # (B, 3 * E) @ (3 * E, H) -> (B, H)
    centered = z - z.mean(axis=0)
    normalized = centered * ((centered * centered).mean(axis=0) + eps) ** -0.5
    hidden = (gamma * normalized + beta).tanh()
    logits = hidden @ weight2.T + bias2  # (B, H) @ (H, 27) -> (B, 27)
    shifted = logits - logits.data.max(axis=1, keepdims=True)  # a constant: the loss does not depend on it
    log_probs = shifted - shifted.exp().sum(axis=1, keepdims=True).log()
    return -log_probs[np.arange(len(y)), y].mean()


names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
letters = ".abcdefghijklmnopqrstuvwxyz"
if not names:
    raise ValueError("the file has no names")


def name_windows(names):
    """Three letters and the one that follows, as numbers (n, 4); ValueError for others than a to z."""
    codes = []
    for name in names:
        if unknown := set(name) - set(letters[1:]):
            raise ValueError(f"the name {name!r} has the characters {sorted(unknown)}, known are a to z")
        padded = [0, 0, 0] + [letters.index(letter) for letter in name] + [0]
        codes += [padded[i : i + 4] for i in range(len(padded) - 3)]
    return np.array(codes, dtype=np.int64).reshape(-1, 4)


penguin_layers = [(Tensor(weight), Tensor(bias)) for weight, bias in weights]
penguin_parameters = [tensor for layer in penguin_layers for tensor in layer]
penguin_data = features[:n_train], targets[:n_train]  # (100, 2) and (100,): all in one batch
losses = []
for _ in range(120):
    losses.append(training_step(penguin_parameters, 0.1, penguin_loss, penguin_layers, *penguin_data))

scores = penguin_scores(penguin_layers, features[n_train:]).data  # (n,)
test_accuracy = np.mean(scores * targets[n_train:] > 0)
print(f"penguins: loss {losses[0]:.3f} -> {losses[-1]:.3f}, held-out accuracy {test_accuracy:.1%}")

codes = name_windows(names)  # (n, 4)
contexts = codes[:, :3]  # (n, 3)
following = codes[:, 3]  # (n,)
shapes = ((27, 10), (64, 30), (64,), (64,), (64,), (27, 64), (27,))
first_arrays = [rng.normal(scale=0.2, size=shape) for shape in shapes]
first_arrays[3] += 1  # gamma starts near one
batches = rng.integers(len(following), size=(600, 128))  # (steps, B)
name_parameters = [Tensor(array) for array in first_arrays]
names_losses = []
for step, batch in enumerate(batches):
    name_data = contexts[batch], following[batch]
    # the parameters twice: first as those to change, then, with the data, as what names_loss is given
    names_losses.append(training_step(name_parameters, 0.3, names_loss, name_parameters, *name_data))
    if step % 100 == 0:
        print(f"step {step:3d}   loss {names_losses[-1]:.4f}")

# %% [markdown]
# ## The same in PyTorch
#
# PyTorch's layers get the same weights and the same batches (drawn by index, so that both see the same),
# and the losses are compared step by step.

# %%
network = nn.Sequential(
    nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 27)
)
network = network.double()
with torch.no_grad():
    for parameter, array in zip(network.parameters(), first_arrays, strict=True):
        parameter.copy_(torch.from_numpy(array))
optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
network.train()
torch_names_losses = []
for batch in batches[:200]:
    loss = nn.functional.cross_entropy(
        network(torch.from_numpy(contexts[batch])), torch.from_numpy(following[batch])
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_names_losses.append(loss.item())

fresh_layers = [tuple(torch.tensor(array, requires_grad=True) for array in layer) for layer in weights]
optimizer = torch.optim.SGD([tensor for layer in fresh_layers for tensor in layer], lr=0.1)
torch_losses = []
for _ in losses:
    loss = penguin_loss(fresh_layers, *(torch.tensor(array) for array in penguin_data))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_losses.append(loss.item())

penguin_gap = max(abs(a - b) for a, b in zip(losses, torch_losses, strict=True))
names_gap = max(abs(a - b) for a, b in zip(names_losses, torch_names_losses))
print(f"largest difference between the losses: penguins {penguin_gap:.1e}, names {names_gap:.1e}")

smooth = np.convolve(names_losses, np.full(20, 1 / 20), mode="valid")
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, color="C1", label="our Tensor")
left.plot(torch_losses, ":", color="0.2", linewidth=2.5, label="torch.Tensor")
left.set(xlabel="step", ylabel="loss", title="Penguins: training loss of two engines", ylim=0)
left.legend()
right.plot(np.arange(10, 10 + len(smooth)), smooth, color="C1", label="training, mean of 20 steps")
right.axhline(math.log(27), color="0.7", linewidth=0.8, zorder=0, label="all letters equally likely")
right.set(xlabel="step", ylabel="loss (nats)", title="Names: training loss")
right.legend()
plt.show()

# %% [markdown]
# On the left the dotted curve lies on the other one, since the two engines take the same steps. On the
# right the loss falls well below that of equally likely letters, with a backward pass that nobody wrote.
#
# PyTorch's design is ours with more behind it. The `grad_fn` of a tensor is its node, calling it with a
# gradient is our `_vjp`, and its `next_functions` are our `_parents`. `retain_grad` keeps what we always
# keep, and `requires_grad` says which leaves to follow, so that data cost nothing on the way back. Here
# are the nodes of one expression in both:


# %%
def torch_ops(root):
    """Names of the nodes behind a tensor's grad_fn, leaves left out, each once."""
    found = {}
    stack = [root.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in found and not node.name().endswith("AccumulateGrad"):
            found[node] = node.name()
            stack += [parent for parent, _ in node.next_functions]
    return sorted(found.values())


one_weight, one_bias = weights[0]
graph = (Tensor(features) @ Tensor(one_weight).T + Tensor(one_bias)).relu().sum()
our_ops = sorted(node._op for node in topological_order(graph) if node._parents)
torch_weight = torch.tensor(one_weight, requires_grad=True)
torch_bias = torch.tensor(one_bias, requires_grad=True)
their_ops = torch_ops((torch.tensor(features) @ torch_weight.T + torch_bias).relu().sum())
print("ours ", *our_ops)
print("torch", *their_ops)

# %% [markdown]
# The two lists have the same five operations under other names.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert moved.shape != paper_bias.shape, "without un-broadcasting the bias becomes a matrix"
assert nodes["Tensor"][0] == nodes["Tensor"][-1] < 100, "the graph of Tensor does not grow with the birds"
assert nodes["Value"][-1] > 20 * nodes["Value"][0], "the graph of Value does"
assert nodes["Value"][-1] > 500 * nodes["Tensor"][-1], "one Tensor node stands for hundreds of Values"
assert losses[-1] < 0.5 * losses[0] and test_accuracy > 0.9, "the penguin network learns"
assert smooth[-1] < math.log(27) - 0.5, "the names network learns"
assert penguin_gap < 1e-9 and names_gap < 1e-9, "PyTorch takes the same steps"
assert len(our_ops) == len(their_ops) == 5, "both graphs have the same five operations"

# %% [markdown]
# ## Going further
#
# This part can be skipped: it makes one node of the many in cross-entropy, as libraries do.
#
# ### The same, faster
#
# The cross-entropy of `names_loss` is made of many nodes, each with arrays of its own. But we know its
# gradient in one line, probability minus truth (6.4). So one node can do it, made from outside the class.
# The price is a formula by hand, with its own chance of an error. How many nodes and how much time does
# it save in a step on a large alphabet?


# %%
def cross_entropy_nodes(logits, y):
    """Mean cross-entropy of a Tensor of logits (B, C) and labels y (B,), in small nodes."""
    shifted = logits - logits.data.max(axis=1, keepdims=True)
    log_probs = shifted - shifted.exp().sum(axis=1, keepdims=True).log()
    return -log_probs[np.arange(len(y)), y].mean()


def cross_entropy(logits, y):
    """The same as one node."""
    rows = np.arange(len(y))
    shifted = logits.data - logits.data.max(axis=1, keepdims=True)  # (B, C)
    exps = np.exp(shifted)
    total = exps.sum(axis=1, keepdims=True)  # (B, 1)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, y])

    def vjp(grad):
        grad_logits = exps / total  # (B, C): the probabilities
        grad_logits[rows, y] -= 1
        return (grad * grad_logits / len(y),)

    return Tensor(loss, (logits,), vjp, "cross_entropy")


large_logits = Tensor(rng.normal(size=(512, 1000)))
large_labels = rng.integers(1000, size=512)


def one_pass(function):
    """Forward and backward of function(large_logits, large_labels)."""
    function(large_logits, large_labels).backward()


large_grads = {}
node_counts = {}
print(f"{'cross-entropy':20s}{'nodes':>12s}{'ms':>12s}")
for function in (cross_entropy_nodes, cross_entropy):
    large_logits.grad = None
    loss = function(large_logits, large_labels)
    loss.backward()
    large_grads[function.__name__] = large_logits.grad
    node_counts[function.__name__] = sum(bool(node._parents) for node in topological_order(loss))
    spent = milliseconds(one_pass, function)
    print(f"{function.__name__:20s}{node_counts[function.__name__]:12d}{spent:12.1f}")
np.testing.assert_allclose(*large_grads.values(), rtol=1e-9, atol=1e-15)

# %% [markdown]
# The gradients are equal, and part of the time is saved, because fewer large arrays are written and read.

# %%
assert node_counts["cross_entropy"] == 1 < node_counts["cross_entropy_nodes"], (
    "one node does the work of many"
)

# %% [markdown]
# ## What to remember
#
# - With one node for each array, the graph has the size of the code and not of the data.
# - A node stores a vector-Jacobian product, not a Jacobian.
# - What forward broadcasts, backward sums; what forward sums, backward broadcasts. A gradient has the
#   shape of its tensor, and one of another shape may go unnoticed.
# - `torch.Tensor` has the same design, with operations in C++ and on GPUs.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `__getitem__`, replace `np.add.at(grad_all, key, grad)` by `grad_all[key] += grad`. Which check is
#    the first to notice, and why would the penguins never notice?
# 2. Give the penguin network 32 hidden units, `initial_weights([2, 32, 32, 1], rng)`. How do the node
#    counts of the two engines change? Look at the table and the first figure.
# 3. From a blank cell: write `maximum(a, b)`, which returns one `Tensor` node with two parents of the
#    same shape. Which parent gets the gradient where they are equal? Compare with `torch.maximum`.
#
# ## Sources
#
# - A. Paszke et al., "Automatic differentiation in PyTorch", NIPS workshop 2017: the design.
# - D. Maclaurin, D. Duvenaud, R. P. Adams, "Autograd: effortless gradients in NumPy", ICML workshop 2015:
#   vector-Jacobian products of NumPy functions.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020, and stdlib's lists of names: the data.
