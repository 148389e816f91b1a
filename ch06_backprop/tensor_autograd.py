# %% [markdown]
# # 6.6 Tensor autograd: one note for a whole array
#
# A shop that writes a receipt for every apple sells few apples. One receipt for the crate says the same.
# Lesson 6.3 kept a note for every number; here we keep one for every array, and the engine becomes fast
# enough for real networks.
#
# **You will build** a `Tensor` that differentiates itself, in NumPy, and train two networks on it: one
# that tells penguins apart, one that spells names. **You need** broadcasting (2.2), the engine on single
# numbers (6.3), and the names network (6.4).

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
# Two rows $(1, 2)$ and $(3, 4)$ each get the bias $(10, 20)$. The loss weighs the four results by $1, 2,
# 3, 4$ and adds up: $L = 11 + 2 \cdot 22 + 3 \cdot 13 + 4 \cdot 24$. The first bias entered with weights
# $1$ and $3$, so its slope is $4$; the second with $2$ and $4$, so $6$. Now a beginner's backward pass: an
# addition hands its gradient on unchanged.

# %%
x, bias = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([10.0, 20.0])  # (2, 2), (2,)
cotangent = np.array([[1.0, 2.0], [3.0, 4.0]])
slopes = [(((x + bias + n) - (x + bias - n)) * cotangent).sum() / 2e-6 for n in 1e-6 * np.eye(2)]
print(f"slopes by nudging {np.round(slopes, 6)}")
np.testing.assert_allclose(slopes, [4, 6], rtol=1e-6)

wrong = cotangent
moved = bias - 0.1 * wrong
print(f"unchanged, the gradient has shape {wrong.shape}, and a step makes the bias {moved.shape}")
assert moved.shape != bias.shape

# %% [markdown]
# Wrong, and nobody complained: the bias has become a matrix, one row for each example, and the next
# forward pass runs on with it. Broadcasting *copied* the bias into every row. A copy's gradient goes to
# the original, and the gradients of all copies add up.
#
# So backward, we sum over every axis along which forward copied: those that were put in front, and those
# of length one that were stretched.


# %%
def unbroadcast(grad, shape):
    """Sum `grad` over the axes along which an array of `shape` was broadcast; returns that shape."""
    if grad.shape == shape:
        return grad
    in_front = grad.ndim - len(shape)
    grad = grad.sum(axis=tuple(range(in_front)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return grad.sum(axis=stretched, keepdims=True)


right = unbroadcast(cotangent, bias.shape)
print(f"summed over the rows: {right}")
assert right.tolist() == [4.0, 6.0]
assert unbroadcast(np.ones((5, 4, 3)), (4, 1)).tolist() == [[15.0]] * 4

# %% [markdown]
# ## Who goes first
#
# A node may pass its gradient on once everything that used it has reported, so we need a topological
# order, as in lesson 6.3. Nothing in it knows what a node holds.


# %%
def topological_order(root):
    """Every node that `root` was made from, then `root`: each after its own parents."""
    order, seen, stack = [], set(), [root]
    while stack:
        node = stack.pop()
        if node is None:  # a marker: all parents of the node below it are listed
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            stack += node._parents
    return order


# %% [markdown]
# ## The tensor
#
# A `Value` kept one slope for each parent. The slope of an array by an array would be a Jacobian, which
# nobody builds (6.1). A `Tensor` keeps a function instead, its *vector-Jacobian product*: from the
# gradient of the result it makes those of the parents. It remembers arrays, never its own tensor, so no
# node closes a circle (6.3). For $C = AB$ and the gradient $G$ of $C$
#
# $$\frac{\partial L}{\partial A} = G B^\top, \qquad \frac{\partial L}{\partial B} = A^\top G .$$


# %%
class Tensor:
    """A float64 array that remembers how it was made; `backward()` fills `grad` in all it was made from."""

    __slots__ = ("data", "grad", "_parents", "_vjp", "_op")
    __array_ufunc__ = None  # NumPy leaves `array + tensor` to us

    def __init__(self, data, _parents=(), _vjp=None, _op=""):
        self.data = np.asarray(data, dtype=np.float64)
        self.grad = None  # an array of data's shape, after backward
        self._parents, self._vjp, self._op = _parents, _vjp, _op

    def __add__(self, other):
        a, b = self, other if isinstance(other, Tensor) else Tensor(other)
        vjp = lambda g, s=a.data.shape, t=b.data.shape: (unbroadcast(g, s), unbroadcast(g, t))
        return Tensor(a.data + b.data, (a, b), vjp, "add")

    def __mul__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        a, b = self.data, other.data
        vjp = lambda g: (unbroadcast(g * b, a.shape), unbroadcast(g * a, b.shape))
        return Tensor(a * b, (self, other), vjp, "mul")

    def __matmul__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        a, b = self.data, other.data
        if min(a.ndim, b.ndim) < 2:
            raise ValueError(f"matrices or stacks of them, not arrays of shape {a.shape} and {b.shape}")

        def vjp(g):  # (…, n, k) @ (…, k, m) -> (…, n, m); the stacks may be broadcast
            d_a = g @ b.swapaxes(-1, -2)  # (…, n, m) @ (…, m, k) -> (…, n, k)
            d_b = a.swapaxes(-1, -2) @ g  # (…, k, n) @ (…, n, m) -> (…, k, m)
            return unbroadcast(d_a, a.shape), unbroadcast(d_b, b.shape)

        return Tensor(a @ b, (self, other), vjp, "matmul")

    def backward(self, grad=None):
        """Add d(self · grad)/d(leaf) to the grad of every leaf; set it anew on every inner node.

        grad: an array of self's shape, 1 for a single number. Raises ValueError for another shape.
        """
        grad = np.ones(()) if grad is None else np.asarray(grad, dtype=np.float64)
        if grad.shape != self.data.shape:
            raise ValueError(f"the tensor has shape {self.data.shape} but its gradient {grad.shape}")
        order = topological_order(self)
        for node in order:
            if node._parents:
                node.grad = None
        self.grad = grad if self.grad is None else self.grad + grad
        for node in reversed(order):
            if node._parents:
                for parent, g in zip(node._parents, node._vjp(node.grad), strict=True):
                    parent.grad = g if parent.grad is None else parent.grad + g  # never in place: g is shared


# %% [markdown]
# The paper example again, and a diamond: `x` is used twice, and a second `backward` after a reset must
# give the same.

# %%
inputs, offset = Tensor(x), Tensor(bias)
((inputs + offset) * cotangent).backward(np.ones((2, 2)))
print(f"gradient of the bias {offset.grad}")
assert offset.grad.tolist() == [4.0, 6.0]

node = Tensor(3.0)
out = node * node + node
out.backward()
first, node.grad = node.grad, None
out.backward()
assert node.grad == first == 7.0

# %% [markdown]
# ## The rest of arithmetic
#
# The functions of one array have slopes that we know from lesson 6.3, now element by element. A small
# helper makes the node.


# %%
def elementwise(self, values, slopes, op):
    """A node for a function applied to each element: its values and its slopes, arrays of self's shape."""
    return Tensor(values, (self,), lambda g: (g * slopes,), op)


def exp(self):
    values = np.exp(self.data)
    return elementwise(self, values, values, "exp")


def tanh(self):
    values = np.tanh(self.data)
    return elementwise(self, values, 1 - values * values, "tanh")


def power(self, exponent):
    """self ** exponent for a plain number."""
    slopes = exponent * self.data ** (exponent - 1) if exponent else np.zeros_like(self.data)
    return elementwise(self, self.data**exponent, slopes, "pow")


Tensor.exp, Tensor.tanh, Tensor.__pow__ = exp, tanh, power
Tensor.log = lambda self: elementwise(self, np.log(self.data), 1 / self.data, "log")
Tensor.relu = lambda self: elementwise(self, np.maximum(self.data, 0), 1.0 * (self.data > 0), "relu")
Tensor.__neg__ = lambda self: self * -1.0
Tensor.__sub__ = lambda self, other: self + -other
Tensor.__rsub__ = lambda self, other: -self + other
Tensor.__truediv__ = lambda self, other: self * other**-1.0
Tensor.__rtruediv__ = lambda self, other: self**-1.0 * other
Tensor.__rmatmul__ = lambda self, other: Tensor(other) @ self
Tensor.__radd__, Tensor.__rmul__ = Tensor.__add__, Tensor.__mul__

# %% [markdown]
# What is left moves numbers about. A sum hands its gradient to everything it added up, so that is
# broadcast, the mirror image of `unbroadcast`. Reshaping is undone by reshaping. Indexing picks; backward
# puts each gradient back where it was picked, and adds where one place was picked twice, as the embedding
# in 6.4.


# %%
def tensor_sum(self, axis=None, keepdims=False):
    """Sum over `axis` (an int, a tuple, or None for all), as `np.sum`."""
    shape, kept = self.data.shape, np.sum(self.data, axis=axis, keepdims=True).shape
    vjp = lambda g: (np.broadcast_to(g.reshape(kept), shape),)
    return Tensor(np.sum(self.data, axis=axis, keepdims=keepdims), (self,), vjp, "sum")


def mean(self, axis=None, keepdims=False):
    """Mean over `axis`, as `np.mean`."""
    total = self.sum(axis, keepdims)
    return total * (total.data.size / self.data.size)


def reshape(self, *shape):
    old = self.data.shape
    return Tensor(self.data.reshape(*shape), (self,), lambda g: (g.reshape(old),), "reshape")


def getitem(self, key):
    """self[key] for any index that NumPy takes."""
    shape = self.data.shape

    def vjp(g):
        grad = np.zeros(shape)
        np.add.at(grad, key, g)
        return (grad,)

    return Tensor(self.data[key], (self,), vjp, "getitem")


Tensor.sum, Tensor.mean, Tensor.reshape, Tensor.__getitem__ = tensor_sum, mean, reshape, getitem
Tensor.T = property(lambda self: Tensor(self.data.T, (self,), lambda g: (g.T,), "transpose"))

# %% [markdown]
# ## Does PyTorch agree?
#
# One expression with every operation and several kinds of broadcasting, weighed by a random cotangent. The
# lines are the same for either kind of tensor.

# %%
arrays = [rng.normal(size=shape) for shape in ((2, 4, 3), (5, 3), (5,), (4, 1), (4, 5))]
results = []
for make in (Tensor, lambda array: torch.tensor(array, requires_grad=True)):
    x, weight, bias, scale, cotangent = leaves = [make(array) for array in arrays]
    h = (x @ weight.T + bias).tanh() * scale  # (2, 4, 3) @ (3, 5) -> (2, 4, 5), bias (5,), scale (4, 1)
    h = (h - h.mean(axis=0)) / (1 + (h * h).sum(axis=-1, keepdims=True)) ** 0.5  # (2, 4, 5)
    h = h.reshape(8, 5)[[0, 3, 3, 7]]  # (2, 4, 5) -> (8, 5) -> (4, 5): row 3 twice
    out = (1 - h).relu() + (2 + h.exp()).log() - 3 / (h * h + 1)  # (4, 5)
    (out * cotangent).sum().backward()
    results.append([np.asarray(array) for array in (out.data, *(leaf.grad for leaf in leaves))])

largest = max(np.abs(ours - theirs).max() for ours, theirs in zip(*results, strict=True))
print(f"largest difference between values and gradients: {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## One node for a thousand
#
# The penguin network of lesson 6.3 again: two measurements, two hidden layers, one score, the hinge loss
# and the small price on large weights.

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
measurements, labels = measurements[shuffled], labels[shuffled]
center, spread = measurements[:n_train].mean(axis=0), measurements[:n_train].std(axis=0)  # each (2,)
features = (measurements - center) / spread  # (n, 2)
targets = 2.0 * labels - 1  # (n,): +1 for a chinstrap


def initial_weights(sizes, rng):
    """A list of (weight, bias) arrays for an MLP of these sizes, He's spread (6.5)."""
    pairs = zip(sizes, sizes[1:])
    return [(rng.normal(scale=(2 / m) ** 0.5, size=(n, m)), rng.normal(scale=0.1, size=n)) for m, n in pairs]


weights = initial_weights([2, 16, 16, 1], rng)

# %% [markdown]
# The same lines serve our tensors and PyTorch's: both know `@`, `.T`, `relu` and `sum`.


# %%
def penguin_loss(layers, x, t):
    """Mean hinge loss of an MLP plus the price on its weights; x: (n, 2), t: (n,) of +1 and -1."""
    for weight, bias in layers[:-1]:
        x = (x @ weight.T + bias).relu()  # (n, n_in) @ (n_in, n_out) -> (n, n_out)
    weight, bias = layers[-1]
    scores = (x @ weight.T + bias).reshape(-1)  # (n, 16) @ (16, 1) -> (n, 1) -> (n,)
    price = sum((p * p).sum() for layer in layers for p in layer)
    return (1 - t * scores).relu().mean() + 1e-4 * price


ours = [(Tensor(weight), Tensor(bias)) for weight, bias in weights]
loss = penguin_loss(ours, features[:n_train], targets[:n_train])
loss.backward()
theirs = [tuple(torch.tensor(a, requires_grad=True) for a in layer) for layer in weights]
torch_loss = penguin_loss(theirs, torch.tensor(features[:n_train]), torch.tensor(targets[:n_train]))
torch_loss.backward()
for a, b in zip(sum(ours, ()), sum(theirs, ()), strict=True):
    np.testing.assert_allclose(a.grad, b.grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# For comparison, the engine on single numbers, cut down to what this step needs. Its nodes call their
# parents `_parents` too, so the same `topological_order` walks them.


# %%
class Value:
    """Lesson 6.3's number that remembers how it was made; only +, * and relu."""

    __slots__ = ("data", "grad", "_parents", "_slopes")

    def __init__(self, data, _parents=(), _slopes=()):
        self.data, self.grad = data, 0.0
        self._parents, self._slopes = _parents, _slopes

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
    price = sum((p * p for rows, biases in layers for row in (*rows, biases) for p in row), Value(0.0))
    return total * (1 / len(t)) + price * 1e-4


# %% [markdown]
# Same weights, same loss: the two engines must find the same gradients.

# %%
value_layers = [
    ([[Value(w) for w in row] for row in weight], [Value(b) for b in bias]) for weight, bias in weights
]
scalar_loss = value_loss(value_layers, features[:n_train].tolist(), targets[:n_train].tolist())
scalar_loss.backward()
assert math.isclose(scalar_loss.data, loss.data, rel_tol=1e-10)
for (rows, biases), (weight, bias) in zip(value_layers, ours):
    grads = np.array([[value.grad for value in row] for row in rows])  # (n_out, n_in)
    np.testing.assert_allclose(grads, weight.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([value.grad for value in biases], bias.grad, rtol=1e-9, atol=1e-12)

# %% [markdown]
# Now forward and backward for more and more birds, with PyTorch as the third engine. How many nodes, and
# how long? Python's cyclic collector is paused, as in 6.3.

# %%
engines = {
    "Value": lambda n: value_loss(value_layers, features[:n].tolist(), targets[:n].tolist()),
    "Tensor": lambda n: penguin_loss(ours, features[:n], targets[:n]),
    "torch.Tensor": lambda n: penguin_loss(theirs, torch.tensor(features[:n]), torch.tensor(targets[:n])),
}
sizes, times, nodes = (1, 3, 10, 30, 100), {}, {}


def milliseconds(step, n_times=3):
    """Median time of step(), with Python's search for reference cycles put off."""
    enabled, seconds = gc.isenabled(), []
    gc.disable()
    try:
        for _ in range(n_times):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    finally:
        if enabled:
            gc.enable()
    return 1000 * float(np.median(seconds))


for name, engine in engines.items():
    times[name] = [milliseconds(lambda engine=engine, n=n: engine(n).backward()) for n in sizes]
    if name != "torch.Tensor":
        nodes[name] = [len(topological_order(engine(n))) for n in sizes]
    count = f"{nodes[name][-1]:,} nodes" if name in nodes else ""
    print(f"{name:20s}{times[name][-1]:12.2f} ms   {count}")

# %% [markdown]
# The graph of `Value` grows with every bird; that of `Tensor` stays as it is, since the birds are inside
# the arrays. Each node has its price in Python, whatever it holds, and until the arrays are large the
# arithmetic costs little beside it.

# %%
assert nodes["Tensor"][0] == nodes["Tensor"][-1] < 100
assert nodes["Value"][-1] > 20 * nodes["Value"][0] and nodes["Value"][-1] > 500 * nodes["Tensor"][-1]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for (name, line), style in zip(times.items(), ("o-", "s--", "^:")):
    if name in nodes:
        left.loglog(sizes, nodes[name], style, label=name)
    right.loglog(sizes, line, style, label=name)
left.set(xlabel="birds in the batch", ylabel="nodes in the graph", title="An array node holds all birds")
right.set(
    xlabel="birds in the batch", ylabel="forward and backward (ms)", title="What a step takes, as measured"
)
left.legend()
right.legend()
plt.show()

# %% [markdown]
# ## Penguins
#
# A training step: loss, reset, backward, move. The function trains anything whose parameters are tensors.


# %%
def training_step(parameters, loss_of, learning_rate):
    """One step of gradient descent; loss_of: a function without arguments that returns the loss Tensor."""
    loss = loss_of()
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    for parameter in parameters:
        parameter.data = parameter.data - learning_rate * parameter.grad
    return loss.data.item()


learning_rate, n_steps = 0.1, 120
x, t = features[:n_train], targets[:n_train]  # (100, 2), (100,)
losses = []
for step in range(n_steps):
    losses.append(training_step(sum(ours, ()), lambda: penguin_loss(ours, x, t), learning_rate))
    if step % 20 == 0:
        print(f"step {step:3d}   loss {losses[-1]:.4f}")

h = features[n_train:]
for weight, bias in ours[:-1]:
    h = np.maximum(h @ weight.data.T + bias.data, 0)  # (n, n_in) @ (n_in, n_out) -> (n, n_out)
scores = (h @ ours[-1][0].data.T + ours[-1][1].data)[:, 0]  # (n, 16) @ (16, 1) -> (n, 1) -> (n,)
test_accuracy = np.mean(scores * targets[n_train:] > 0)
print(f"held-out accuracy {test_accuracy:.1%}")
assert test_accuracy > 0.9

# %% [markdown]
# ## Names
#
# Now the network of lesson 6.4: which letter follows these three? There we wrote its backward pass by
# hand, line by line. Here we write the forward pass, and that is all.

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
letters = ".abcdefghijklmnopqrstuvwxyz"
padded = ["..." + name + "." for name in names]
windows = [word[i : i + 4] for word in padded for i in range(len(word) - 3)]
codes = np.array([[letters.index(letter) for letter in window] for window in windows])  # (n, 4)
contexts, following = codes[:, :3], codes[:, 3]  # (n, 3), (n,)


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


shapes = ((27, 10), (64, 30), (64,), (64,), (64,), (27, 64), (27,))
first = [rng.normal(scale=0.2, size=shape) for shape in shapes]
first[3] += 1  # gamma starts near one
parameters = [Tensor(array) for array in first]
batches = rng.integers(len(following), size=(800, 128))  # (steps, B)
names_losses = []
for step, batch in enumerate(batches):
    x, y = contexts[batch], following[batch]
    names_losses.append(training_step(parameters, lambda x=x, y=y: names_loss(parameters, x, y), 0.3))
    if step % 200 == 0:
        print(f"step {step:3d}   loss {names_losses[-1]:.4f}")

# %% [markdown]
# ## The same in PyTorch
#
# The same weights in PyTorch's layers, the same batches: we compare the losses step by step, and the
# penguin network's beside them.

# %%
network = nn.Sequential(
    nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 27)
).double()
with torch.no_grad():
    for parameter, array in zip(network.parameters(), first, strict=True):
        parameter.copy_(torch.from_numpy(array))
optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
torch_names_losses = []
for batch in batches[:200]:
    x, y = torch.from_numpy(contexts[batch]), torch.from_numpy(following[batch])
    loss = nn.functional.cross_entropy(network(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_names_losses.append(loss.item())

optimizer = torch.optim.SGD(sum(theirs, ()), lr=learning_rate)
x, t = torch.tensor(features[:n_train]), torch.tensor(targets[:n_train])
torch_losses = []
for _ in range(n_steps):
    loss = penguin_loss(theirs, x, t)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_losses.append(loss.item())

largest = max(abs(a - b) for a, b in zip(losses, torch_losses, strict=True))
largest_names = max(abs(a - b) for a, b in zip(names_losses, torch_names_losses))
print(f"largest difference: penguins {largest:.1e}, names {largest_names:.1e}")
assert largest < 1e-9 and largest_names < 1e-9

# %%
smooth = np.convolve(names_losses, np.full(20, 1 / 20), mode="valid")
assert losses[-1] < 0.5 * losses[0] and smooth[-1] < 2.7

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, color="C1", label="our Tensor")
left.plot(torch_losses, ":", color="0.2", linewidth=2.5, label="torch.Tensor, on top of it")
left.set(xlabel="step", ylabel="hinge loss and price", title="Penguins: the same curve", ylim=0)
left.legend()
right.plot(np.arange(10, 10 + len(smooth)), smooth, color="C1", label="training, mean of 20 steps")
right.axhline(math.log(27), color="0.7", linewidth=0.8, zorder=0, label="knowing nothing")
right.set(xlabel="step", ylabel="loss (nats)", title="Names: the engine learns to spell")
right.legend()
plt.show()

# %% [markdown]
# ## The same design
#
# A `torch.Tensor` is this class with more behind it. Its `grad_fn` is our `_vjp`, and the `next_functions`
# of that are our `_parents`; `retain_grad` keeps what we always keep. `requires_grad` says which leaves to
# follow, so that data costs nothing backward. We lay the two graphs of one expression side by side.


# %%
def torch_ops(root):
    """Names of the nodes behind a tensor's grad_fn, leaves left out, each once."""
    found, stack = {}, [root.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in found and not node.name().endswith("AccumulateGrad"):
            found[node] = node.name()
            stack += [parent for parent, _ in node.next_functions]
    return sorted(found.values())


weight, bias = rng.normal(size=(4, 2)), rng.normal(size=4)
graph = (Tensor(x.numpy()) @ Tensor(weight).T + Tensor(bias)).relu().sum()
our_ops = sorted(node._op for node in topological_order(graph) if node._parents)
weight, bias = (torch.tensor(a, requires_grad=True) for a in (weight, bias))
their_ops = torch_ops((x @ weight.T + bias).relu().sum())
print("ours ", *our_ops)
print("torch", *their_ops)
assert len(our_ops) == len(their_ops) == 5

# %% [markdown]
# ## What to remember
#
# - One node an array: the graph has the size of the code, not of the data.
# - A node keeps a vector-Jacobian product, not a Jacobian.
# - What forward broadcasts, backward sums; what forward sums, backward broadcasts. A gradient always has
#   its tensor's shape, and a wrong one may run on without a word.
# - `torch.Tensor` is the same design, with kernels in C++ and on GPUs.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Make `unbroadcast` return `grad` as it is. Which check notices first, and what would the penguins do?
# 2. Add `maximum` of two tensors. Who gets the gradient where they are equal, and what does PyTorch say?
# 3. In `getitem`, write `grad[key] += g`. Which network still trains as before?
#
# ## Sources
#
# - A. Paszke et al., "Automatic differentiation in PyTorch", NIPS workshop 2017: the design.
# - D. Maclaurin, D. Duvenaud, R. P. Adams, "Autograd: effortless gradients in NumPy", ICML workshop 2015:
#   vector-Jacobian products of NumPy functions.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020, and stdlib's lists of names: the data.
