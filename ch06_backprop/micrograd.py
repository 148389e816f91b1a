# %% [markdown]
# # 6.3 Micrograd: an autograd engine small enough to read
#
# When you write `loss = (w * x + b - y) ** 2` in PyTorch and call `loss.backward()`, the derivatives
# appear, although nobody told PyTorch the formula. How can a program differentiate an expression that it
# has never seen? Lesson 6.1 did it with a graph that we wrote down ourselves. Here the numbers build the
# graph while Python computes with them, and then walk back through it. A program that does this is an
# *autograd engine*, and the method is also called automatic differentiation (2.3). Each of the large
# libraries, such as PyTorch and JAX, has such an engine at its heart.
#
# **You will build** `Value`, a number that differentiates itself, a picture of its graph, and a neural
# network on top of it. The design is Andrej Karpathy's _micrograd_, and programs that use his `Value` and
# `MLP` run with ours. **You need** central differences (2.3), ReLU and tanh (5.2), a layer (5.4), and the
# chain rule on a graph (6.1).

# %%
import csv
import gc
import math
import operator
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
# We take $L = (w x + b) \cdot c$ at $w = 3$, $x = 2$, $b = -4$, $c = 5$, and give every intermediate
# result a name. Each of them is a node of a graph, and its parents are the nodes it was made from (6.1).
# Forward, one node after the other:
#
# $$\begin{aligned}
#   p &= w \cdot x = 3 \cdot 2 = 6 \\
#   s &= p + b = 6 - 4 = 2 \\
#   L &= s \cdot c = 2 \cdot 5 = 10
# \end{aligned}$$
#
# The rule for the way back is that a parent's gradient is the gradient of the node times the node's slope
# along that parent. A sum has the slope $1$ along both of its parts, and a product has the other factor
# as its slope along each. We begin with $\partial L / \partial L = 1$:
#
# $$\begin{aligned}
#   \tfrac{\partial L}{\partial s} &= 1 \cdot c = 5 \\
#   \tfrac{\partial L}{\partial c} &= 1 \cdot s = 2 \\
#   \tfrac{\partial L}{\partial p} &= \tfrac{\partial L}{\partial s} \cdot 1 = 5 \\
#   \tfrac{\partial L}{\partial b} &= \tfrac{\partial L}{\partial s} \cdot 1 = 5 \\
#   \tfrac{\partial L}{\partial w} &= \tfrac{\partial L}{\partial p} \cdot x = 5 \cdot 2 = 10 \\
#   \tfrac{\partial L}{\partial x} &= \tfrac{\partial L}{\partial p} \cdot w = 5 \cdot 3 = 15
# \end{aligned}$$
#
# Here is the same in code, with a central difference (2.3) as a check:

# %%
w = 3.0
x = 2.0
b = -4.0
c = 5.0
p = w * x
s = p + b
L = s * c
grad_L = 1.0
grad_s = grad_L * c
grad_c = grad_L * s
grad_p = grad_s * 1.0
grad_b = grad_s * 1.0
grad_w = grad_p * x
grad_x = grad_p * w


def central_difference(f, at, h=1e-6):
    """The slope of f at the number `at`."""
    return (f(at + h) - f(at - h)) / (2 * h)


measured_w = central_difference(lambda w: (w * x + b) * c, w)
print(f"L {L:.1f}   dL/dw on paper {grad_w:.1f}, measured {measured_w:.6f}")
assert abs(measured_w - grad_w) < 1e-6

# %% [markdown]
# ## A number that remembers
#
# Every backward line above needed three things: the gradient of the node, its parents, and its slope
# along each parent. The operation that makes the node knows the parents and the slopes, so it can store
# them. Here is a first draft, which can only add and multiply.


# %%
class Draft:
    """A number with the nodes it was made from (`_prev`) and its slope along each of them (`_slopes`)."""

    def __init__(self, data, _prev=(), _slopes=()):
        self.data = data
        self.grad = 0.0
        self._prev = _prev
        self._slopes = _slopes

    def __add__(self, other):
        return Draft(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return Draft(self.data * other.data, (self, other), (other.data, self.data))


def set_parent_grads(node):
    """Give each parent its gradient: the node's own times the slope."""
    for parent, slope in zip(node._prev, node._slopes):
        parent.grad = node.grad * slope


# %% [markdown]
# We compute the paper example with drafts, put the gradient $1$ on the last node, and let the nodes pass
# their gradients on, from the last to the first. Then we try the shortest expression that uses a number
# twice, $a + a$, whose slope is $2$.

# %%
w = Draft(3.0)
x = Draft(2.0)
b = Draft(-4.0)
c = Draft(5.0)
p = w * x
s = p + b
L = s * c
L.grad = 1.0
for node in (L, s, p):
    set_parent_grads(node)
print(f"dL/dw {w.grad}   dL/dx {x.grad}   dL/db {b.grad}   dL/dc {c.grad}")
assert (w.grad, x.grad, b.grad, c.grad) == (10.0, 15.0, 5.0, 2.0)

a = Draft(3.0)
double = a + a
double.grad = 1.0
set_parent_grads(double)
print(f"a + a: slope {a.grad}")

# %% [markdown]
# The paper example is right, but `a + a` has the slope 1 instead of 2. Both parents of the sum are the
# same node. The loop visits it twice, and the second assignment overwrites the first. The chain rule adds
# over paths (6.1), so a node must _add_ what it receives. In the code, `=` becomes `+=`.


# %%
def add_to_parent_grads(node):
    """Add to each parent's gradient the node's own times the slope."""
    for parent, slope in zip(node._prev, node._slopes):
        parent.grad += node.grad * slope


a = Draft(3.0)
double = a + a
double.grad = 1.0
add_to_parent_grads(double)
print(f"a + a: slope {a.grad}")
assert a.grad == 2.0

# %% [markdown]
# ## Which node goes first?
#
# We passed gradients on in the order $L, s, p$ because we knew the expression. An engine has to find an
# order by itself, and not every order will do. Let $u = ab$, $v = u + c$ and $f = uv$ with $a = 2$, $b =
# 1$ and $c = 3$. After $f$, either $u$ or $v$ may be next, since both have received something from $f$.
# Does it matter which?


# %%
def slope_along_a(order):
    """df/da when the nodes pass their gradients on in this order."""
    a = Draft(2.0)
    b = Draft(1.0)
    c = Draft(3.0)
    u = a * b
    v = u + c
    nodes = {"u": u, "v": v, "f": u * v}
    nodes["f"].grad = 1.0
    for name in order:
        add_to_parent_grads(nodes[name])
    return a.grad


measured_a = central_difference(lambda a: (a * 1.0) * (a * 1.0 + 3.0), 2.0)
print(f"measured {measured_a:.6f}")
print(f"order f, u, v: {slope_along_a('fuv')}   order f, v, u: {slope_along_a('fvu')}")
assert abs(measured_a - slope_along_a("fvu")) < 1e-6

# %% [markdown]
# Only the second order is right. In the first, $u$ passes on what it has before $v$ has added its part.
# So a node may pass its gradient on only when all nodes that were made from it have done so.
#
# A list in which every node stands after its parents is a *topological order*. Read from the end, it has
# the property that we need. The plain way to make one is a function that calls itself: it first lists
# everything that the parents were made from, then the node.


# %%
def list_parents_first(node, order, seen):
    """Append to `order` all that `node` was made from and then `node`, but nothing that is in `seen`."""
    if node not in seen:
        seen.add(node)
        for parent in reversed(node._prev):  # the last parent first, as the stack below will do
            list_parents_first(parent, order, seen)
        order.append(node)


# %% [markdown]
# Python allows only about a thousand calls inside each other, and a graph may be deeper than that. So the
# engine does the same with a list of its own, a stack, from which it always takes the last entry. It puts a
# node back with a marker, `None`, on top of it, and its parents above the marker. When the marker comes up,
# the parents are done, and the node may be listed.


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
            stack += (node, None)  # the node itself, to be listed when the marker comes up
            stack += node._prev  # above it, so they are taken first
    return order


a = Draft(2.0)
u = a * Draft(1.0)
f = u * (u + Draft(3.0))
plain_order = []
list_parents_first(f, plain_order, set())
assert plain_order == topological_order(f)
print(f"{len(plain_order)} nodes, the same order from both: {[node.data for node in plain_order]}")


# %% [markdown]
# ## The whole engine
#
# Here is the whole class, with the slopes of each operation beside it. Division needs no slope of its own,
# because $a / b$ is the product of $a$ and the power $b^{-1}$, and subtraction adds a number times $-1$. So
# only these slopes are new:
#
# $$\frac{d x^k}{dx} = k\, x^{k-1}, \qquad \frac{d e^x}{dx} = e^x, \qquad
#   \frac{d \ln x}{dx} = \frac1x, \qquad \frac{d \tanh x}{dx} = 1 - \tanh^2 x .$$
#
# The slope of ReLU is one for positive numbers and zero otherwise, also at the kink, as in PyTorch. The
# methods `__radd__`, `__rmul__` and so on let a plain number stand on the left, as in `1 - x`.
#
# A leaf (4.2) is a number that was put in and not computed, such as a weight, so it has no parents.
# `backward` sets the gradients of all other nodes to zero before it starts. Those of the leaves it does not
# touch, so they add up from call to call until somebody resets them, as in PyTorch.


# %%
class Value:
    """A number that remembers how it was made; `backward()` fills `grad` in all it was made from.

    _children: the nodes it was made from (our graph's parents), _op: a name for the picture,
    _slopes: its derivative along each of them.
    """

    __slots__ = ("data", "grad", "label", "_op", "_prev", "_slopes")  # no other attributes: quick to make

    def __init__(self, data, _children=(), _op="", _slopes=(), label=""):
        self.data = data
        self.grad = 0.0
        self.label = label
        self._op = _op
        self._prev = _children
        self._slopes = _slopes

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"

    def __add__(self, other):
        if not isinstance(other, Value):
            other = Value(other)
        return Value(self.data + other.data, (self, other), "+", (1.0, 1.0))

    def __mul__(self, other):
        if not isinstance(other, Value):
            other = Value(other)
        return Value(self.data * other.data, (self, other), "*", (other.data, self.data))

    def __pow__(self, exponent):
        """self ** exponent for a plain number; ValueError if the result or its slope does not exist."""
        if isinstance(exponent, Value):
            return NotImplemented
        slope = exponent * math.pow(self.data, exponent - 1) if exponent else 0.0
        return Value(math.pow(self.data, exponent), (self,), f"**{exponent}", (slope,))

    def __rpow__(self, base):
        """base ** self for a plain positive number (ValueError for another)."""
        out = math.pow(base, self.data)
        return Value(out, (self,), f"{base}**", (out * math.log(base),))

    def exp(self):
        out = math.exp(self.data)
        return Value(out, (self,), "exp", (out,))

    def log(self):
        return Value(math.log(self.data), (self,), "log", (1.0 / self.data,))

    def tanh(self):
        out = math.tanh(self.data)
        return Value(out, (self,), "tanh", (1.0 - out * out,))

    def relu(self):
        if self.data <= 0:
            return Value(0.0, (self,), "ReLU", (0.0,))
        return Value(self.data, (self,), "ReLU", (1.0,))

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

    def backward(self):
        """Add d(self)/d(leaf) to the grad of every leaf; set it anew on every inner node."""
        order = topological_order(self)
        for node in order:
            if node._prev:
                node.grad = 0.0
        self.grad += 1.0  # d(self) / d(self); added, because self may itself be a leaf
        for node in reversed(order):
            grad = node.grad
            for parent, slope in zip(node._prev, node._slopes, strict=True):
                parent.grad += grad * slope


# %% [markdown]
# Does it agree with PyTorch? We write one expression with every operation in it. The same function takes
# our numbers or float64 tensors, because `Value.exp(x)` and `torch.exp(x)` read alike.


# %%
def everything(x, y, functions):
    """An expression with every operation; functions: `Value` or `torch`."""
    z = (x * y + 2) / (functions.exp(x) + 1) - (3 - y) ** 2
    return functions.tanh(z) + functions.relu(x - y) + functions.log(x * x + 1) - 1.5 / (2 + y * y) + 2**x


largest = 0.0
for numbers in rng.normal(size=(5, 2)).tolist():
    leaves = [Value(number) for number in numbers]
    everything(*leaves, Value).backward()
    tensors = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
    everything(*tensors, torch).backward()
    for leaf, tensor in zip(leaves, tensors):
        np.testing.assert_allclose(leaf.grad, tensor.grad, rtol=1e-10, atol=1e-12)
        largest = max(largest, abs(leaf.grad - tensor.grad.item()))
print(f"largest difference from PyTorch's gradients: {largest:.1e}")

# %% [markdown]
# ## Seeing the graph
#
# To draw a graph we put each node one column to the right of its last parent, and as level with its
# parents as there is room. Leaves are grey.


# %%
def layout(root):
    """{node: (column, row)} for all that `root` was made from: parents to the left, no two in one place."""
    column = {}
    place = {}
    for node in topological_order(root):
        column[node] = 1 + max((column[parent] for parent in node._prev), default=-1)
    for k in range(column[root] + 1):
        members = [node for node in column if column[node] == k]
        wanted = {}
        for i, node in enumerate(members):
            rows = [place[parent][1] for parent in node._prev] or [float(i)]
            wanted[node] = sum(rows) / len(rows)
        row = -math.inf
        for node in sorted(members, key=wanted.get):
            row = max(wanted[node], row + 1)
            place[node] = (k, row)
    return place


def draw_graph(root, ax):
    """Draw what `root` was made from on `ax`, left to right, with every node's value and gradient."""
    place = layout(root)
    arrow = {"arrowstyle": "-|>", "color": "0.6", "shrinkA": 30, "shrinkB": 36}  # points kept free
    for node, (column, row) in place.items():
        for parent in node._prev:
            ax.annotate("", xy=(column, row), xytext=place[parent], arrowprops=arrow)
        name = node.label or ("×" if node._op == "*" else node._op)
        box = {"boxstyle": "round", "facecolor": "white" if node._prev else "0.93", "edgecolor": "0.4"}
        text = f"{name}\nvalue {node.data:.2f}\ngrad {node.grad:.2f}"
        ax.text(column, row, text, ha="center", va="center", bbox=box, fontsize=9)
    columns, rows = zip(*place.values())
    ax.set(xlim=(-0.5, max(columns) + 0.5), ylim=(min(rows) - 0.7, max(rows) + 0.7))
    ax.axis("off")


# %% [markdown]
# Here is a neuron with two inputs. Before you look at the gradients, guess: which of the five leaves
# changes the output most, if it is moved a little?

# %%
x1, x2 = Value(2.0, label="x1"), Value(-1.0, label="x2")
w1, w2 = Value(0.5, label="w1"), Value(1.0, label="w2")
bias = Value(0.6, label="bias")
output = (x1 * w1 + x2 * w2 + bias).tanh()
output.backward()

fig, ax = plt.subplots(figsize=(10, 4.5), layout="constrained")
draw_graph(output, ax)
ax.set_title("Value and gradient of every node of one neuron")
plt.show()

# %% [markdown]
# Read the gradients from the right. The tanh multiplies the $1$ that starts there by its slope, which is
# below one. The sums pass it on unchanged, so the bias has exactly this gradient. Each product gives each
# factor the gradient times the other factor, and so `w1` has the largest gradient, because its input is
# the largest number among the factors.
#
# ## A network of values
#
# A neuron weighs its inputs, adds a bias and may apply ReLU. A layer is a list of neurons that see the
# same inputs, and a multilayer perceptron is a list of layers (5.4). `Module` holds what the three share,
# as `nn.Module` does (4.3). The names are again those of the original.


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
    """relu(w · x + b), or w · x + b if `nonlin` is false, for `nin` inputs.

    The weights are drawn from -1 to 1 by the lesson's `rng`; micrograd's form has no argument for one.
    """

    def __init__(self, nin, nonlin=True):
        self.w = [Value(rng.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0.0)
        self.nonlin = nonlin

    def __call__(self, x):
        """x: a sequence of nin numbers or Values; raises ValueError if it has another length."""
        out = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)  # the sum starts at the bias
        return out.relu() if self.nonlin else out

    def parameters(self):
        return [*self.w, self.b]

    def __repr__(self):
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons that see the same `nin` inputs; returns a list, or the one Value if nout is 1."""

    def __init__(self, nin, nout, neuron=Neuron, **kwargs):
        self.neurons = [neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x):
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self):
        return [parameter for neuron in self.neurons for parameter in neuron.parameters()]

    def __repr__(self):
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


class MLP(Module):
    """Layers of sizes nin -> nouts[0] -> ... -> nouts[-1]; ReLU after all but the last."""

    def __init__(self, nin, nouts, neuron=Neuron):
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], neuron, nonlin=i != last) for i in range(len(nouts))]

    def __call__(self, x):
        for layer in self.layers:
            x = layer([x] if isinstance(x, Value) else x)  # a layer of one neuron returned a single Value
        return x

    def parameters(self):
        return [parameter for layer in self.layers for parameter in layer.parameters()]

    def __repr__(self):
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


# %% [markdown]
# ## Training it
#
# Adélie and chinstrap penguins differ in the bill. The network gets the length and the depth of the bill,
# in standard deviations from the mean of the training birds, and it should return a positive score for a
# chinstrap (target $+1$) and a negative one for an Adélie (target $-1$).

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
inputs = ((measurements - center) / spread).tolist()  # n lists of two numbers
targets = (2.0 * labels - 1).tolist()  # n numbers, +1 or -1
print(f"{n_train} birds to train on, {len(birds) - n_train} held out")

# %% [markdown]
# The loss asks for more than the right sign. For target $t$ and score $s$ the *hinge loss* is zero if $ts$
# is one or more. Below one it is what is missing:
#
# $$L = \frac1n \sum_i \max(0,\; 1 - t_i s_i) + \lambda \sum_p p^2 .$$
#
# The second sum is over all parameters. Without it, scores could reach one simply because all weights grow.
# The small factor $\lambda$, in the code `price`, says how much large weights cost.


# %%
def hinge_loss(scores, targets):
    """Mean of max(0, 1 - target·score); scores: Values, targets: as many +1 or -1.

    Raises ValueError if the two differ in length, are empty, or a target is neither +1 nor -1.
    """
    if len(scores) != len(targets) or not scores:
        raise ValueError(f"{len(scores)} scores for {len(targets)} targets")
    if not set(targets) <= {1, -1}:
        raise ValueError(f"targets must be +1 or -1, got {sorted(set(targets))}")
    losses = [(1 - score * target).relu() for score, target in zip(scores, targets)]
    return sum(losses) * (1 / len(losses))


def training_step(model, inputs, targets, learning_rate, price=1e-4):
    """One step of gradient descent on all examples; returns the loss (a Value) before the step."""
    loss = hinge_loss([model(x) for x in inputs], targets)
    loss = loss + price * sum(parameter * parameter for parameter in model.parameters())
    model.zero_grad()
    loss.backward()
    for parameter in model.parameters():
        parameter.data -= learning_rate * parameter.grad
    return loss


def train(model, inputs, targets, n_steps, learning_rate=0.1):
    """Gradient descent on all examples; returns the loss before each step."""
    losses = []
    for _ in range(n_steps):
        losses.append(training_step(model, inputs, targets, learning_rate).data)
    return losses


def score_map(model, xs, ys):
    """The model's score on a grid, (len(ys), len(xs)), for xs along the first input and ys the second."""
    return np.array([[model([x, y]).data for x in xs] for y in ys])


def accuracy(model, inputs, targets):
    """Share of examples whose score has the sign of their target."""
    right = [model(x).data * target > 0 for x, target in zip(inputs, targets, strict=True)]
    return sum(right) / len(right)


# %% [markdown]
# On the way we save the score over the whole plane a few times. The line where it is zero is the decision
# boundary (3.3): on one side the network says Adélie, on the other chinstrap. How do you expect it to
# move, evenly or in a rush?

# %%
model = MLP(2, [16, 16, 1])
first_weights = [parameter.data for parameter in model.parameters()]
lengths = np.linspace(-2.4, 3.2, 15)  # in standard deviations
depths = np.linspace(-2.4, 2.7, 15)
losses = []
snapshots = {0: score_map(model, lengths, depths)}  # number of steps: scores (15, 15)
for n_steps in (10, 10):
    losses += train(model, inputs[:n_train], targets[:n_train], n_steps)
    snapshots[len(losses)] = score_map(model, lengths, depths)
for step in range(0, len(losses), 5):
    print(f"step {step:3d}   loss {losses[step]:.4f}")
train_accuracy = accuracy(model, inputs[:n_train], targets[:n_train])
test_accuracy = accuracy(model, inputs[n_train:], targets[n_train:])
print(f"accuracy: training {train_accuracy:.1%}, held out {test_accuracy:.1%}")


# %%
def draw_boundary(ax, xs, ys, scores, points, labels, names):
    """Scores on a grid as colours, the line where they are zero, and the points with their class."""
    ax.contourf(xs, ys, np.tanh(scores), levels=np.linspace(-1, 1, 21), cmap="RdBu", alpha=0.6)
    if scores.min() < 0 < scores.max():
        ax.contour(xs, ys, scores, levels=[0], colors="black")
    for label, marker in enumerate("o^"):
        chosen = points[labels == label]  # (n of this class, 2)
        style = {"color": "0.2", "markersize": 4, "fillstyle": "none"}
        ax.plot(chosen[:, 0], chosen[:, 1], marker, label=names[label], **style)


fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
grid = center[0] + spread[0] * lengths, center[1] + spread[1] * depths
training_birds = measurements[:n_train], labels[:n_train], ("Adélie", "chinstrap")
for ax, (n_steps, scores) in zip(axes, snapshots.items()):
    draw_boundary(ax, *grid, scores, *training_birds)
    ax.set(xlabel="bill length (mm)", title=f"after {n_steps} steps")
axes[0].set_ylabel("bill depth (mm)")
axes[2].legend(loc="lower right", fontsize=8)
axes[3].plot(losses, color="C1")
axes[3].set(xlabel="step", ylabel="loss", title="training loss", ylim=(0, None))
fig.suptitle("Score of the network: the decision boundary is black")
plt.show()

# %% [markdown]
# In the first panel the boundary has nothing to do with the birds. The first ten steps move it between the
# two species, and the ten after that change little. Most of the loss is gone by then, too. The network is
# right on nearly all birds, those that it was trained on and those that were held out. (With three other
# seeds it was the same.)
#
# ## The same in PyTorch
#
# `nn.Linear` holds the weights of a layer as one matrix with one row for each neuron, and takes the whole
# batch at once. We copy our first weights into it, take the same steps, and compare the losses.

# %%
network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
network = network.double()
remaining = iter(first_weights)  # for each neuron its weights, then its bias
with torch.no_grad():
    for linear in network[::2]:
        for i in range(linear.out_features):
            row = [next(remaining) for _ in range(linear.in_features)]
            linear.weight[i] = torch.tensor(row, dtype=torch.float64)
            linear.bias[i] = next(remaining)

optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
torch_inputs = torch.tensor(inputs[:n_train], dtype=torch.float64)  # (100, 2)
torch_targets = torch.tensor(targets[:n_train], dtype=torch.float64)  # (100,)
torch_losses = []
for _ in losses:
    torch_scores = network(torch_inputs)[:, 0]  # (100, 1) -> (100,)
    torch_loss = (1 - torch_targets * torch_scores).relu().mean()
    torch_loss = torch_loss + 1e-4 * sum((parameter**2).sum() for parameter in network.parameters())
    optimizer.zero_grad()
    torch_loss.backward()
    optimizer.step()
    torch_losses.append(torch_loss.item())

loss_gap = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses, strict=True))
print(f"largest difference between the two loss curves: {loss_gap:.1e}")

# %% [markdown]
# The two curves are the same but for rounding.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert slope_along_a("fuv") != slope_along_a("fvu"), "the order in which nodes pass on matters"
assert w1.grad == max(abs(leaf.grad) for leaf in (x1, x2, w1, w2, bias)), "w1 has the largest gradient"
assert bias.grad == 1 - output.data**2 < 1, "the sums pass on tanh's slope, which is below one"
signs = [scores > 0 for scores in snapshots.values()]
changed_early = np.mean(signs[0] != signs[1])
changed_late = np.mean(signs[1] != signs[2])
assert changed_late < 0.5 * changed_early, "the boundary moves most in the first steps"
assert losses[-1] < 0.2 * losses[0], "most of the loss is gone"
assert min(train_accuracy, test_accuracy) > 0.9, "nearly all birds are told apart"
assert loss_gap < 1e-9, "PyTorch takes the same steps"

# %% [markdown]
# ## Going further
#
# This part can be skipped: a faster neuron, what an engine may leave behind in memory, a trap in the
# second backward pass, and a task that needs the hidden layers. Lesson 6.6 is faster in another way, with
# arrays as nodes.
#
# ### The same, faster
#
# Most nodes of the graph are products and sums inside a neuron. Nobody asks for their gradients, so one
# node can stand for the whole neuron. With $s = w \cdot x + b$,
#
# $$\frac{\partial s}{\partial w_i} = x_i, \qquad \frac{\partial s}{\partial x_i} = w_i, \qquad
#   \frac{\partial s}{\partial b} = 1 ,$$
#
# and all three are zero if ReLU blocks $s$. The price is a rule that we had to derive by hand.


# %%
class FusedNeuron(Neuron):
    """A `Neuron` that is one node of the graph, or a leaf with the value zero if ReLU blocks it."""

    def __call__(self, x):
        if len(x) != len(self.w):
            raise ValueError(f"{len(self.w)} weights need as many inputs, got {len(x)}")
        nodes = [xi for xi in x if isinstance(xi, Value)]
        if 0 < len(nodes) < len(x):  # numbers and Values mixed
            nodes = x = [xi if isinstance(xi, Value) else Value(xi) for xi in x]
        weights = [weight.data for weight in self.w]
        numbers = [xi.data for xi in nodes] if nodes else x
        total = sum(map(operator.mul, weights, numbers), self.b.data)
        if self.nonlin and total <= 0:
            return Value(0.0)
        if not nodes:  # the network's own inputs need no gradient
            return Value(total, (self.b, *self.w), "neuron", (1.0, *numbers))
        return Value(total, (self.b, *self.w, *nodes), "neuron", (1.0, *numbers, *weights))


def timed_step(model):
    """(nodes in the graph, seconds, loss) of one training step on the penguins that moves nothing."""
    start = time.perf_counter()
    loss = training_step(model, inputs[:n_train], targets[:n_train], learning_rate=0.0)
    seconds = time.perf_counter() - start
    return len(topological_order(loss)), seconds, loss.data


plain_model = MLP(2, [16, 16, 1])
fused_model = MLP(2, [16, 16, 1], neuron=FusedNeuron)
for ours, theirs in zip(fused_model.parameters(), plain_model.parameters()):
    ours.data = theirs.data
n_plain, plain_seconds, plain_loss = timed_step(plain_model)
n_fused, fused_seconds, fused_loss = timed_step(fused_model)
print(f"{'neuron':20s}{'nodes':>12s}{'ms per step':>12s}")
print(f"{'plain':20s}{n_plain:12,d}{1000 * plain_seconds:12.1f}")
print(f"{'fused':20s}{n_fused:12,d}{1000 * fused_seconds:12.1f}")
np.testing.assert_allclose(fused_loss, plain_loss, rtol=1e-10)
fused_grads = [parameter.grad for parameter in fused_model.parameters()]
plain_grads = [parameter.grad for parameter in plain_model.parameters()]
np.testing.assert_allclose(fused_grads, plain_grads, rtol=1e-10, atol=1e-12)

# %% [markdown]
# The loss and all gradients are equal, from far fewer nodes. Libraries do the same on a larger scale: for
# PyTorch a whole matrix product is one node.
#
# ### What a step leaves behind
#
# Python frees an object when nothing refers to it any more. Objects that refer to each other in a circle
# would never be freed, so a *cyclic garbage collector* searches for circles from time to time. Our nodes
# refer only to their parents, so there are none. In another common design, the original's, a node keeps a
# function (a *closure*) that refers to the node itself, so each node is a circle. We make a thousand
# nodes of either kind, drop them, and count what is left for the collector. Then we time one training
# step with the collector at work and one without.


# %%
def node_with_closure(data):
    """A node whose backward function refers to the node that holds it."""
    node = SimpleNamespace(data=data, grad=0.0)
    node.backward = lambda: node.grad
    return node


def watch_collector(step, *args):
    """(step's result, its seconds, the collector's share of them in seconds, the collector's runs)."""
    moments = []

    def note(phase, info):  # Python calls this when the collector starts and when it stops
        moments.append(time.perf_counter())

    gc.callbacks.append(note)
    start = time.perf_counter()
    try:
        result = step(*args)
    finally:
        seconds = time.perf_counter() - start
        gc.callbacks.remove(note)
    return result, seconds, sum(moments[1::2]) - sum(moments[::2]), len(moments) // 2


def uninterrupted(step, *args):
    """step(*args), with Python's search for reference circles put off until it is done."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return step(*args)
    finally:
        if enabled:
            gc.enable()


garbage = {}
for make in (Value, node_with_closure):
    gc.collect()
    nodes = [make(float(i)) for i in range(1000)]
    del nodes
    garbage[make.__name__] = gc.collect()
    print(f"{make.__name__:20s}{garbage[make.__name__]:12,d} objects left for the collector")

_, seconds, collecting, n_runs = watch_collector(timed_step, plain_model)
_, paused_seconds, _ = uninterrupted(timed_step, plain_model)
print(f"a step of {1000 * seconds:.0f} ms: {n_runs} runs of the collector took {1000 * collecting:.0f} ms")
print(f"a step without the collector: {1000 * paused_seconds:.0f} ms")

# %% [markdown]
# The collector found nothing in our graph, so the time of its runs was wasted, and a program may switch
# it off during a step. With closures, only the collector can free the nodes.
#
# ### A second backward
#
# What if we reset the leaves and call `backward` on the same graph again? The gradient should be the
# same. The second column leaves out the line that resets the inner nodes, as the original micrograd does.
# We count on a chain of additions, whose slope is one.


# %%
def backward_without_reset(root):
    """`Value.backward`, but inner nodes keep the gradients of the last time."""
    root.grad = 1.0
    for node in reversed(topological_order(root)):
        add_to_parent_grads(node)


second_slopes = {}
print(f"{'additions':20s}{'with reset':>12s}{'without':>12s}")
for n_additions in (1, 10, 100):
    for go_back in (Value.backward, backward_without_reset):
        leaf = end = Value(1.0)
        for _ in range(n_additions):
            end = end + 0.0
        go_back(end)
        leaf.grad = 0.0
        go_back(end)
        second_slopes[go_back.__name__] = leaf.grad
    print(f"{n_additions:<20d}" + "".join(f"{slope:12.1f}" for slope in second_slopes.values()))

# %% [markdown]
# Without the reset every inner node passes on what it had from the first time as well, so the error grows
# with the depth of the graph.
#
# ### Did that need hidden layers?
#
# The boundary between the penguins looks nearly straight. `MLP(2, [1])` is a single linear neuron, which
# can only draw a straight line. Will it do as well? We try it on the penguins and on a harder task, two
# half circles that reach into each other (the _two moons_).

# %%
moon_rng = np.random.default_rng(0)
moon = np.arange(2 * n_train) % 2  # (200,): which moon, 0 above and 1 below
angle = moon_rng.uniform(0, np.pi, size=2 * n_train)  # (200,)
points = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (200, 2)
points[moon == 1] = [1.0, 0.5] - points[moon == 1]
points += moon_rng.normal(scale=0.1, size=points.shape)
tasks = {
    "penguins": (inputs, targets, 0.1),
    "moons": (points.tolist(), (2.0 * moon - 1).tolist(), 1.0),  # inputs, targets, learning rate
}

held_out = {}
moon_models = {}
print(f"{'held-out accuracy':20s}{'one neuron':>16s}{'hidden layers':>16s}")
for task, (task_inputs, task_targets, learning_rate) in tasks.items():
    for name, sizes in (("one neuron", [1]), ("hidden layers", [16, 16, 1])):
        moon_models[name] = MLP(2, sizes, neuron=FusedNeuron)
        train(moon_models[name], task_inputs[:n_train], task_targets[:n_train], 60, learning_rate)
        held_out[f"{task}, {name}"] = accuracy(
            moon_models[name], task_inputs[n_train:], task_targets[n_train:]
        )
    print(f"{task:20s}" + "".join(f"{held_out[f'{task}, {name}']:16.3f}" for name in moon_models))

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
moon_grid = np.linspace(-1.5, 2.5, 33), np.linspace(-1.0, 1.5, 26)
for ax, (name, moon_model) in zip(axes, moon_models.items()):
    scores = score_map(moon_model, *moon_grid)  # (26, 33)
    draw_boundary(ax, *moon_grid, scores, points[n_train:], moon[n_train:], ("upper moon", "lower moon"))
    ax.set(xlabel="first input", title=f"moons, {name}")
axes[0].set_ylabel("second input")
axes[0].legend(loc="upper right", fontsize=8)
plt.show()

# %% [markdown]
# On the penguins one neuron is about as good, so the hidden layers were not needed there. On the moons no
# straight line separates the two classes, and the network with hidden layers bends its boundary between
# them. Five other seeds gave the same picture.

# %%
assert n_fused < n_plain / 8, "the fused neuron needs far fewer nodes"
assert garbage["Value"] == 0, "our nodes leave nothing for the collector"
assert garbage["node_with_closure"] >= 1000, "every node with a closure is left for the collector"
assert second_slopes["backward"] == 1.0, "with the reset, a second backward gives the same slope"
assert second_slopes["backward_without_reset"] == 100.0, "without it, the error grows with the depth"
assert abs(held_out["penguins, one neuron"] - held_out["penguins, hidden layers"]) < 0.05, (
    "one neuron will do"
)
assert held_out["moons, one neuron"] < 0.92, "no straight line separates the moons"
assert held_out["moons, hidden layers"] > 0.95, "hidden layers separate the moons"

# %% [markdown]
# ## What to remember
#
# - Every result remembers its parents and its slope along each of them; that is all an engine has to
#   store.
# - Backward walks in reverse topological order, multiplies along paths and adds over paths.
# - Gradients are added, so a number that is used twice gets both shares, and so leaves must be reset
#   before each step: that is what `zero_grad` is for.
# - The engine knows nothing of networks. A coarser node gives the same gradients with less work.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Take the line `model.zero_grad()` out of `training_step`. Which gradient does each step use now, and
#    what will the training loss in the second figure do?
# 2. In `Neuron`, start every weight at zero: `Value(0.0 * rng.uniform(-1, 1))`. Which of the parameters
#    can ever move? Look at the second figure, and at which claim fails.
# 3. From a blank cell: write `softplus(x)`, $\ln(1 + e^x)$, which returns one node with the parent `x`.
#    Its slope is a function that you know. Compare value and gradient with `(1 + x.exp()).log()` at $x =
#    0.5$.
#
# ## Sources
#
# - A. Karpathy, _micrograd_, 2020: the names, the loss, and the idea of an engine on single numbers.
# - S. Linnainmaa, "Taylor expansion of the accumulated rounding error", _BIT_ 16, 1976: reverse
#   accumulation.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   _Nature_ 323, 1986.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
