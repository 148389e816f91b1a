# %% [markdown]
# # 6.3 Micrograd: an autograd engine small enough to read
#
# Lesson 6.1 walked a graph by hand, and lesson 6.2 mirrored every forward line with a backward one. Both
# needed a person who knows what comes next. Here the numbers themselves take notes: each remembers what it
# was made from, and can pass blame back along the way it came.
#
# **You will build** `Value`, a number that differentiates itself, a network on top of it, and a picture of
# the graph: Andrej Karpathy's *micrograd*, with a few of its corners mended. **You need** the chain rule
# (6.1) and backpropagation (6.2).

# %%
import csv
import gc
import math
import time
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Take $f = ab + a$ at $a = 2$, $b = -3$. The product is $-6$ and $f = -4$. The slope along $b$ is $a = 2$.
# The slope along $a$ has two parts, one for each way $a$ reaches $f$: through the product it is $b = -3$,
# directly it is $1$, and the parts add up to $-2$. A nudge must agree.

# %%
a, b, nudge = 2.0, -3.0, 1e-6


def f(a, b):
    return a * b + a


slope_a = (f(a + nudge, b) - f(a - nudge, b)) / (2 * nudge)
slope_b = (f(a, b + nudge) - f(a, b - nudge)) / (2 * nudge)
print(f"f {f(a, b):.1f}   df/da {slope_a:.4f}   df/db {slope_b:.4f}")
assert abs(slope_a - -2) < 1e-6 and abs(slope_b - 2) < 1e-6

# %% [markdown]
# ## Which node goes first?
#
# A node may pass its gradient on once everything that used it has reported. That order is a *topological
# order*. We list each node after all it was made from, and later read the list backwards. The loop keeps
# its own stack, because Python gives up on functions that call themselves some thousand levels deep.


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
            stack += node._prev
    return order


# %% [markdown]
# ## A number that takes notes
#
# A `Value` keeps its number, its parents, and one *local slope* per parent: how fast it changes when that
# parent does. For $c = a + b$ both slopes are $1$. For $c = ab$ they are
#
# $$\frac{\partial c}{\partial a} = b, \qquad \frac{\partial c}{\partial b} = a .$$
#
# `backward` multiplies slopes along a path and adds up over paths. Inner nodes start from zero each time;
# *leaves*, which nobody computed, collect until they are reset, as in PyTorch.


# %%
class Value:
    """A number that remembers how it was made; `backward()` fills `grad` in all it was made from.

    _children: the nodes it was made from, _slopes: its derivative along each of them.
    """

    __slots__ = ("data", "grad", "label", "_op", "_prev", "_slopes")  # only these: small and quick to make

    def __init__(self, data, _children=(), _op="", label="", _slopes=()):
        self.data = data
        self.grad = 0.0
        self.label = label
        self._op, self._prev, self._slopes = _op, _children, _slopes

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), "+", "", (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), "*", "", (other.data, self.data))

    def backward(self):
        """Add d(self)/d(leaf) to the grad of every leaf; set it anew on every inner node."""
        order = topological_order(self)
        for node in order:
            if node._prev:
                node.grad = 0.0
        self.grad += 1.0
        for node in reversed(order):
            grad = node.grad
            for parent, slope in zip(node._prev, node._slopes, strict=True):
                parent.grad += grad * slope


# %% [markdown]
# The paper example again. Now `a` is used twice, and both of its uses must count. So must they when both
# meet in one node, as in $a + a$.

# %%
a, b = Value(2.0, label="a"), Value(-3.0, label="b")
out = a * b + a
out.backward()
print(a, b, out, sep="\n")
assert (out.data, a.grad, b.grad) == (-4.0, -2.0, 2.0)

c = Value(5.0)
(c + c).backward()
assert c.grad == 2.0

# %% [markdown]
# ## Going back twice
#
# Zero the leaves, go backward through the same graph again: the answer must not change. It does in an
# engine that forgets its inner nodes, as the original micrograd does: they still hold the first pass's
# blame and pass it on as well. How wrong is that? We count on a chain of additions, where the true slope
# is one.


# %%
def careless_backward(root):
    """`backward` without the reset of the inner nodes."""
    root.grad = 1.0
    for node in reversed(topological_order(root)):
        for parent, slope in zip(node._prev, node._slopes):
            parent.grad += node.grad * slope


for depth in (1, 10, 100):
    slopes = []
    for go_back in (careless_backward, Value.backward):
        x = out = Value(1.0)
        for _ in range(depth):
            out = out + 0.0
        go_back(out)
        x.grad = 0.0
        go_back(out)
        slopes.append(x.grad)
    print(f"depth {depth:3d}   second slope without the reset {slopes[0]:5.1f}   with it {slopes[1]:.1f}")
    assert slopes == [depth, 1.0]

# %% [markdown]
# ## The rest of arithmetic
#
# Subtracting is adding the negative, dividing is multiplying by a power. Only the power is new:
#
# $$\frac{\partial\, x^k}{\partial x} = k\, x^{k-1} .$$
#
# The `__r…__` names let a plain number stand on the left, as in `1 - x`. We attach them to the class we
# have.


# %%
def power(self, exponent):
    """self ** exponent for a plain number.

    Raises ValueError where the result is not a real number or its slope is not finite.
    """
    if isinstance(exponent, Value):
        return NotImplemented
    slope = exponent * math.pow(self.data, exponent - 1) if exponent else 0.0
    return Value(math.pow(self.data, exponent), (self,), f"**{exponent}", "", (slope,))


Value.__pow__ = power
Value.__rpow__ = lambda self, base: (self * math.log(base)).exp()
Value.__neg__ = lambda self: self * -1.0
Value.__sub__ = lambda self, other: self + -other
Value.__rsub__ = lambda self, other: -self + other
Value.__truediv__ = lambda self, other: self * other**-1
Value.__rtruediv__ = lambda self, other: self**-1 * other
Value.__radd__ = Value.__add__
Value.__rmul__ = Value.__mul__

# %% [markdown]
# Four functions complete it. Two of them find their slope in their own output: $(e^x)' = e^x$ and
# $(\tanh x)' = 1 - \tanh^2 x$. ReLU's slope is one where it lets the number through and zero elsewhere,
# also at the kink, as PyTorch has it.


# %%
def exp(self):
    out = math.exp(self.data)
    return Value(out, (self,), "exp", "", (out,))


def log(self):
    return Value(math.log(self.data), (self,), "log", "", (1.0 / self.data,))


def tanh(self):
    out = math.tanh(self.data)
    return Value(out, (self,), "tanh", "", (1.0 - out * out,))


def relu(self):
    blocked = self.data <= 0
    return Value(0.0 if blocked else self.data, (self,), "relu", "", (0.0 if blocked else 1.0,))


Value.exp, Value.log, Value.tanh, Value.relu = exp, log, tanh, relu

# %% [markdown]
# ## Does PyTorch agree?
#
# One expression that uses every operation, at a few random places, once with our numbers and once with
# float64 tensors. The same Python function takes either.


# %%
def everything(x, y, functions):
    z = (x * y + 2) / (functions.exp(x) + 1) - (3 - y) ** 2
    return functions.tanh(z) + functions.relu(x - y) + functions.log(x * x + 1) - 1.5 / (2 + y * y) + 2**x


for numbers in rng.normal(size=(5, 2)).tolist():
    x, y = map(Value, numbers)
    everything(x, y, Value).backward()
    u, v = (torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers)
    everything(u, v, torch).backward()
    np.testing.assert_allclose([x.grad, y.grad], [u.grad, v.grad], rtol=1e-10, atol=1e-12)

# %% [markdown]
# Deep graphs must survive too. A hundred thousand additions in a row make a graph that deep, which a
# recursive walk, the original's, could not finish.

# %%
x = total = Value(1.0)
for _ in range(100_000):
    total = total + x
total.backward()
print(f"a chain of {len(topological_order(total)):,} nodes, slope {x.grad:,.0f}")
assert x.grad == 100_001

# %% [markdown]
# ## Seeing the graph
#
# A column for each step away from the leaves. Leaves are stacked in the first; every later node wants to
# be level with the middle of its parents, and moves up where the place is taken. That is all a small graph
# needs to be readable.


# %%
def layout(root):
    """{node: (column, row)} for all that `root` was made from: parents to the left, no two in one place."""
    columns, place = {}, {}
    depth = {}
    for node in topological_order(root):
        depth[node] = 1 + max((depth[parent] for parent in node._prev), default=-1)
        columns.setdefault(depth[node], []).append(node)
    for column in sorted(columns):
        wanted = {node: float(i) for i, node in enumerate(columns[column])}  # where a leaf would stand
        for node in columns[column]:
            if node._prev:
                wanted[node] = sum(place[parent][1] for parent in node._prev) / len(node._prev)
        row = -math.inf
        for node in sorted(wanted, key=wanted.get):
            row = max(wanted[node], row + 1)
            place[node] = (column, row)
    return place


def draw_graph(root, ax):
    """Draw what `root` was made from on `ax`, left to right, with every node's value and gradient."""
    place = layout(root)
    ends = {"shrinkA": 30, "shrinkB": 36}  # points left free for the boxes
    arrow = {"arrowstyle": "-|>", "color": "0.6", **ends}
    for node, (column, row) in place.items():
        for parent in node._prev:
            ax.annotate("", xy=(column, row), xytext=place[parent], arrowprops=arrow)
        name = node.label or {"*": "×"}.get(node._op, node._op)
        box = {"boxstyle": "round", "facecolor": "white" if node._prev else "0.93", "edgecolor": "0.4"}
        text = f"{name}\nvalue {node.data:.2f}\ngrad {node.grad:.2f}"
        ax.text(column, row, text, ha="center", va="center", bbox=box, fontsize=9)
    columns, rows = zip(*place.values())
    ax.set(xlim=(-0.5, max(columns) + 0.5), ylim=(min(rows) - 0.7, max(rows) + 0.7))
    ax.axis("off")


# %% [markdown]
# A neuron with two inputs. Follow the gradients from the right: tanh shrinks what arrives, sums hand it on
# unchanged, and a product hands each factor the other one.

# %%
x1, x2 = Value(2.0, label="x1"), Value(-1.0, label="x2")
w1, w2, bias = Value(0.5, label="w1"), Value(1.0, label="w2"), Value(0.6, label="bias")
out = (x1 * w1 + x2 * w2 + bias).tanh()
out.backward()
arrived = 1 - math.tanh(0.6) ** 2
assert bias.grad == arrived < 1
assert (x1.grad, w1.grad) == (arrived * w1.data, arrived * x1.data)

fig, ax = plt.subplots(figsize=(10, 4.5), layout="constrained")
draw_graph(out, ax)
ax.set_title("Sums copy the gradient, products swap their factors, tanh shrinks it")
plt.show()

# %% [markdown]
# ## A network of values
#
# A neuron weighs its inputs, adds a bias, and may bend the result; a layer is a list of neurons; an MLP is
# a list of layers. The names are the original's, so that a program written for it runs here. `Module` is
# the part that all three share: a way to list the parameters and to reset their gradients.


# %%
class Module:
    """Something with parameters."""

    def parameters(self):
        """The `Value`s to train, as a flat list."""
        return []

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad = 0.0


class Neuron(Module):
    """relu(w · x + b), or w · x + b where `nonlin` is false, for `nin` inputs; weights from -1 to 1."""

    def __init__(self, nin, nonlin=True):
        self.w = [Value(rng.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0.0)
        self.nonlin = nonlin

    def weighted_sum(self, x):
        return sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)

    def __call__(self, x):
        """x: a sequence of nin numbers or Values; raises ValueError where it has another length."""
        out = self.weighted_sum(x)
        return out.relu() if self.nonlin else out

    def parameters(self):
        return [*self.w, self.b]


# %% [markdown]
# Layers only pass things along. The last one stays linear: its output is a *score*, and the loss decides
# what it means. A layer of one neuron returns the number itself, so that `model(x)` reads like a function.
# Inside a network that number must become a list again, or the next layer has nothing to walk over: the
# original trips here.


# %%
class Layer(Module):
    """`nout` neurons that see the same `nin` inputs."""

    def __init__(self, nin, nout, neuron=Neuron, **kwargs):
        self.neurons = [neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x):
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self):
        return [parameter for neuron in self.neurons for parameter in neuron.parameters()]


class MLP(Module):
    """Layers of sizes nin -> nouts[0] -> ... -> nouts[-1]; ReLU after all but the last."""

    def __init__(self, nin, nouts, neuron=Neuron):
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], neuron, nonlin=i != last) for i in range(len(nouts))]

    def __call__(self, x):
        for layer in self.layers:
            x = layer([x] if isinstance(x, Value) else x)
        return x

    def parameters(self):
        return [parameter for layer in self.layers for parameter in layer.parameters()]


# %% [markdown]
# ## Two penguins
#
# Adélie and chinstrap penguins differ in the bill. We give the network its length and its depth and ask
# for the species, $+1$ for a chinstrap.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm")
SPECIES = ("Adelie", "Chinstrap")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

# %% [markdown]
# A hundred birds, drawn by lot, are for training, the others are held out. Each measurement is shifted and
# scaled by the training birds' mean and spread. The engine takes plain numbers, so the arrays become
# lists.

# %%
n_train = 100
shuffled = rng.permutation(len(birds))
measurements, labels = measurements[shuffled], labels[shuffled]
center, spread = measurements[:n_train].mean(axis=0), measurements[:n_train].std(axis=0)  # each (2,)
inputs = ((measurements - center) / spread).tolist()  # n lists of two numbers
targets = (2.0 * labels - 1).tolist()  # n numbers, +1 or -1
print(f"{n_train} birds to train on, {len(birds) - n_train} held out")

# %% [markdown]
# The loss asks for more than the right sign. For target $t$ and score $s$ the *hinge loss* is zero once
# $ts$ has reached one, and grows with every bit that is missing:
#
# $$L = \frac1n \sum_i \max(0,\; 1 - t_i s_i) + \lambda \sum_p p^2 .$$
#
# Scores could buy that margin with ever larger weights. The second sum puts a small price on them (lesson
# 8.2).


# %%
def hinge_loss(scores, targets):
    """Mean of max(0, 1 - target·score); scores: Values, targets: as many +1 or -1.

    Raises ValueError where the two differ in length or a target is neither +1 nor -1.
    """
    if len(scores) != len(targets):
        raise ValueError(f"{len(scores)} scores for {len(targets)} targets")
    if not set(targets) <= {1, -1}:
        raise ValueError(f"targets must be +1 or -1, got {sorted(set(targets))}")
    losses = [(1 - score * target).relu() for score, target in zip(scores, targets)]
    return sum(losses) * (1 / len(losses))


def training_step(model, inputs, targets, learning_rate, price=1e-4):
    """One step of gradient descent on all examples; returns the loss before the step."""
    loss = hinge_loss([model(x) for x in inputs], targets)
    loss = loss + price * sum(parameter * parameter for parameter in model.parameters())
    model.zero_grad()
    loss.backward()
    for parameter in model.parameters():
        parameter.data -= learning_rate * parameter.grad
    return loss


# %% [markdown]
# Every number on the way from a bird to the loss is a node. How many is that, and how long does a step
# take?

# %%
model = MLP(2, [16, 16, 1])
start = time.perf_counter()
loss = training_step(model, inputs[:n_train], targets[:n_train], learning_rate=0.0)
seconds = time.perf_counter() - start
n_nodes = len(topological_order(loss))
print(f"{len(model.parameters())} parameters, {n_nodes:,} nodes, {1000 * seconds:.0f} ms a step")

# %% [markdown]
# ## Where the time goes
#
# Much of it may go to something that we never asked for. Python frees an object when its last user lets
# go, but objects that hold each other in a circle would stay for ever. So, every so many new objects, a
# *cyclic collector* walks through living ones in search of circles, and now and then through all of them.
# How much that takes depends on the version of Python. The collector can call us when it starts and when
# it stops, so we measure.


# %%
def watch_collector(step, *args):
    """(step's result, its seconds, the collector's share of them in seconds, the collector's runs)."""
    moments = []

    def note(phase, info):
        moments.append(time.perf_counter())

    gc.callbacks.append(note)
    start = time.perf_counter()
    try:
        result = step(*args)
    finally:
        seconds = time.perf_counter() - start
        gc.callbacks.remove(note)
    return result, seconds, sum(moments[1::2]) - sum(moments[::2]), len(moments) // 2


loss, seconds, collecting, n_runs = watch_collector(
    training_step, model, inputs[:n_train], targets[:n_train], 0.0
)
print(
    f"a step of {1000 * seconds:.0f} ms: the collector ran {n_runs} times and took {1000 * collecting:.0f} ms"
)

# %% [markdown]
# All for nothing: nodes point only backward, to their parents, so there is no circle to find. A *closure*
# is a function that remembers variables from where it was made. An engine whose nodes keep a closure over
# the node itself has a circle in every node, and lives on the collector. We build a thousand of each kind,
# let go, and ask the collector what it had to clear away.


# %%
def with_closure(data):
    """A node in the other style: its backward function refers to the node that holds it."""
    node = SimpleNamespace(data=data, grad=0.0)
    node.backward = lambda: node.grad
    return node


garbage = []
for make in (Value, with_closure):
    gc.collect()
    nodes = [make(float(i)) for i in range(1000)]
    del nodes
    garbage.append(gc.collect())
print(f"left for the collector: {garbage[0]} objects with slopes, {garbage[1]:,} with closures")
assert garbage[0] == 0 and garbage[1] >= 1000

# %% [markdown]
# So the search may wait until a step is over.


# %%
def uninterrupted(step, *args):
    """step(*args), with Python's search for reference cycles put off until it is done."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return step(*args)
    finally:
        if enabled:
            gc.enable()


start = time.perf_counter()
loss = uninterrupted(training_step, model, inputs[:n_train], targets[:n_train], 0.0)
print(f"the same step with the collector paused: {1000 * (time.perf_counter() - start):.0f} ms")

# %% [markdown]
# ## The same, faster
#
# Most nodes are the products and sums inside a weighted sum. Nobody asks for their gradients, so one node
# can stand for all:
#
# $$\frac{\partial (w \cdot x + b)}{\partial w_i} = x_i, \qquad
#   \frac{\partial (w \cdot x + b)}{\partial x_i} = w_i, \qquad
#   \frac{\partial (w \cdot x + b)}{\partial b} = 1 .$$
#
# Libraries do the same on a larger scale: to PyTorch, a whole matrix product is one node.


# %%
class DotNeuron(Neuron):
    """A `Neuron` whose weighted sum is one node of the graph."""

    def weighted_sum(self, x):
        weights = [weight.data for weight in self.w]
        parents = [xi for xi in x if isinstance(xi, Value)]
        numbers = [xi.data for xi in parents] if parents else x
        if len(numbers) != len(weights) or len(parents) not in (0, len(weights)):
            raise ValueError(f"{len(weights)} weights need as many numbers or Values, got {len(x)}")
        total = self.b.data
        for weight, number in zip(weights, numbers):
            total += weight * number
        if parents:
            return Value(total, (self.b, *self.w, *parents), "dot", "", (1.0, *numbers, *weights))
        return Value(total, (self.b, *self.w), "dot", "", (1.0, *numbers))


# %% [markdown]
# With the same weights, the new neurons must give the same loss and the same gradients, from fewer nodes.

# %%
fast = MLP(2, [16, 16, 1], neuron=DotNeuron)
for ours, theirs in zip(fast.parameters(), model.parameters()):
    ours.data = theirs.data

start = time.perf_counter()
fast_loss = uninterrupted(training_step, fast, inputs[:n_train], targets[:n_train], 0.0)
fast_seconds = time.perf_counter() - start
print(f"{len(topological_order(fast_loss)):,} nodes, {1000 * fast_seconds:.0f} ms a step")
assert len(topological_order(fast_loss)) < n_nodes / 5
np.testing.assert_allclose(fast_loss.data, loss.data, rtol=1e-10, atol=1e-12)
gradients = [[parameter.grad for parameter in network.parameters()] for network in (fast, model)]
np.testing.assert_allclose(*gradients, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Training
#
# We train the fast network. Along the way we keep the loss, and a few snapshots of the score over the
# whole plane: where it is zero, the network cannot decide. That line is the *decision boundary*.


# %%
def train(model, inputs, targets, n_steps, learning_rate=0.1):
    """Gradient descent on all examples; returns the loss before each step."""
    steps = range(n_steps)
    return [uninterrupted(training_step, model, inputs, targets, learning_rate).data for _ in steps]


def score_map(model, xs, ys):
    """The model's score on a grid, (len(ys), len(xs)), for xs along the first input and ys the second."""
    return np.array([[model([x, y]).data for x in xs] for y in ys])


def accuracy(model, inputs, targets):
    """Share of examples whose score has the sign of their target."""
    return float(np.mean([model(x).data * target > 0 for x, target in zip(inputs, targets, strict=True)]))


# %%
model = fast
first_weights = [parameter.data for parameter in model.parameters()]
lengths, depths = np.linspace(-2.4, 3.2, 29), np.linspace(-2.4, 2.7, 29)  # in units of the spread
losses, snapshots = [], {}
for n_steps in (0, 10, 40):
    losses += train(model, inputs[:n_train], targets[:n_train], n_steps)
    snapshots[len(losses)] = score_map(model, lengths, depths)  # (29, 29)
for step in range(0, len(losses), 10):
    print(f"step {step:3d}   loss {losses[step]:.4f}")
train_accuracy = accuracy(model, inputs[:n_train], targets[:n_train])
test_accuracy = accuracy(model, inputs[n_train:], targets[n_train:])
print(f"accuracy: training {train_accuracy:.1%}, held out {test_accuracy:.1%}")
assert losses[-1] < 0.2 * losses[0]
assert test_accuracy > 0.9

before, early, late = (scores > 0 for scores in snapshots.values())
changed = np.mean(before != early), np.mean(early != late)
print(f"share of the plane that changed sides: {changed[0]:.2f} early, {changed[1]:.2f} later")
assert changed[1] < 0.5 * changed[0]


# %%
def draw_boundary(ax, xs, ys, scores, points, labels, names):
    """Scores on a grid as colours, the line where they are zero, and the points with their class."""
    ax.contourf(xs, ys, np.tanh(scores), levels=np.linspace(-1, 1, 21), cmap="RdBu", alpha=0.6)
    ax.contour(xs, ys, scores, levels=[0], colors="black")
    for label, marker in enumerate("o^"):
        chosen = points[labels == label]  # (n of this class, 2)
        ax.plot(*chosen.T, marker, color="0.2", markersize=4, fillstyle="none", label=names[label])


fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
grid = center[0] + spread[0] * lengths, center[1] + spread[1] * depths
shown = measurements[:n_train], labels[:n_train], ("Adélie", "chinstrap")
for ax, (n_steps, scores) in zip(axes, snapshots.items()):
    draw_boundary(ax, *grid, scores, *shown)
    ax.set(xlabel="bill length (mm)", ylabel="bill depth (mm)", title=f"after {n_steps} steps")
axes[2].legend(loc="lower right")
axes[3].plot(losses, color="C1")
axes[3].set(xlabel="step", ylabel="loss", title="the loss", ylim=(0, None))
fig.suptitle("The boundary swings into place first, then settles")
plt.show()

# %% [markdown]
# ## Did that need hidden layers?
#
# The line in the last picture is nearly straight, and a single neuron can draw a straight line. Let it
# try: `MLP(2, [1])` is a network that ends where it begins, at one linear neuron. Then both try a harder
# case, two half circles that reach into each other: the *two moons*.

# %%
neuron = MLP(2, [1], neuron=DotNeuron)
train(neuron, inputs[:n_train], targets[:n_train], n_steps=50)

moon = np.arange(2 * n_train) % 2  # (200,): which moon, 0 above and 1 below
angle = rng.uniform(0, np.pi, size=2 * n_train)  # (200,)
points = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (200, 2)
points[moon == 1] = [1.0, 0.5] - points[moon == 1]
points += rng.normal(scale=0.1, size=points.shape)
moon_inputs, moon_targets = points.tolist(), (2.0 * moon - 1).tolist()

moon_models = {
    "one neuron": MLP(2, [1], neuron=DotNeuron),
    "hidden layers": MLP(2, [16, 16, 1], neuron=DotNeuron),
}
for moon_model in moon_models.values():
    train(moon_model, moon_inputs[:n_train], moon_targets[:n_train], n_steps=100, learning_rate=1.0)

# %%
test_accuracies = {
    ("penguins", "one neuron"): accuracy(neuron, inputs[n_train:], targets[n_train:]),
    ("penguins", "hidden layers"): test_accuracy,
}
for name, moon_model in moon_models.items():
    test_accuracies["moons", name] = accuracy(moon_model, moon_inputs[n_train:], moon_targets[n_train:])
print(f"{'held-out accuracy':20s}{'one neuron':>16s}{'hidden layers':>16s}")
for data in ("penguins", "moons"):
    print(f"{data:20s}" + "".join(f"{test_accuracies[data, name]:16.3f}" for name in moon_models))
assert abs(test_accuracies["penguins", "one neuron"] - test_accuracy) < 0.05
assert test_accuracies["moons", "one neuron"] < 0.95 < test_accuracies["moons", "hidden layers"]

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
draw_boundary(axes[0], *grid, score_map(neuron, lengths, depths), *shown)
axes[0].set(xlabel="bill length (mm)", ylabel="bill depth (mm)", title="penguins, one neuron")
moon_grid = np.linspace(-1.5, 2.5, 33), np.linspace(-1.0, 1.5, 26)
for ax, (name, moon_model) in zip(axes[1:], moon_models.items()):
    held_out = points[n_train:], moon[n_train:], ("upper moon", "lower moon")
    draw_boundary(ax, *moon_grid, score_map(moon_model, *moon_grid), *held_out)
    ax.set(xlabel="across", ylabel="up", title=f"moons, {name}")
for ax, place in zip(axes[:2], ("lower right", "upper right")):
    ax.legend(loc=place)
fig.suptitle("A straight line parts the penguins; the moons need a bent one")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Linear` holds a layer's weights as one matrix, a row for each neuron. We copy the weights from before
# training, take the same steps on the penguins, and compare the two loss curves.

# %%
network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)).double()
remaining = iter(first_weights)
with torch.no_grad():
    for linear in network[::2]:
        for i in range(linear.out_features):
            row = [next(remaining) for _ in range(linear.in_features)]
            linear.weight[i] = torch.tensor(row, dtype=torch.float64)
            linear.bias[i] = next(remaining)
assert not list(remaining)

# %% [markdown]
# The loop is the one of lesson 4.4, with our loss. A whole batch is one matrix, and a layer three nodes.

# %%
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
x = torch.tensor(inputs[:n_train], dtype=torch.float64)  # (100, 2)
t = torch.tensor(targets[:n_train], dtype=torch.float64)  # (100,)
torch_losses = []
start = time.perf_counter()
for _ in losses:
    loss = (1 - t * network(x)[:, 0]).relu().mean()  # scores: (100, 1) -> (100,)
    loss = loss + 1e-4 * sum((parameter * parameter).sum() for parameter in network.parameters())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_losses.append(loss.item())
torch_seconds = (time.perf_counter() - start) / len(losses)
print(f"a step: {1000 * fast_seconds:.1f} ms with Value, {1000 * torch_seconds:.1f} ms with tensors")

largest = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses, strict=True))
print(f"largest difference between the two loss curves: {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# ## What to remember
#
# - Reverse-mode autograd is two ideas: every result remembers its parents with the local slopes,
#   and a walk in reverse topological order multiplies along paths and adds over them.
# - Gradients add where a value is used more than once. Leaves collect until you reset them: that is what
#   `zero_grad` is for. Inner nodes must be reset at every pass.
# - The engine knows nothing of networks. A coarser node means fewer of them, the same gradients, and less
#   waiting.
# - Hidden layers earn their keep where no straight line will do.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Take out `model.zero_grad()`. What does the loss curve do, and which optimizer does it remind you of?
# 2. Start every weight at zero. Which parameters ever move? (Lesson 6.5 has the answer.)
# 3. Add `sigmoid` as one node. Which two slopes that you know is it made of?
#
# ## Sources
#
# - A. Karpathy, *micrograd*, 2020: the names, the loss, and the idea of an engine on single numbers.
# - S. Linnainmaa, "Taylor expansion of the accumulated rounding error", *BIT* 16, 1976: reverse
#   accumulation.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   *Nature* 323, 1986.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
