# %% [markdown]
# # 6.1 The chain rule: multiply along a path, add over paths
#
# If a tourist changes euros into dollars and the dollars into yen, the two rates multiply. If another
# part of the money goes by way of pounds, the yen from both ways add up. In a neural network a small
# change of one weight reaches the loss in the same manner, usually by very many ways, and each node on
# the way has its own rate. By how much does the loss change in the end?
#
# The answer is the *multivariate chain rule*, and the procedure that computes it for all weights at once
# is backpropagation (1.2). It runs in every training step of nearly every network, from a spam filter to
# a language model.
#
# **You will build** a graph in which every node gets its gradient, first for single numbers and then for
# vectors. **You need** derivatives with the chain rule (2.3), gradients (2.4), sigmoid and tanh (5.2),
# and a layer as a matrix product (5.4).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Let there be one path, on which $x$ changes $u$ and $u$ changes $f$. If $u$ changes three times as fast
# as $x$, and $f$ eight times as fast as $u$, then $f$ changes $8 \cdot 3$ times as fast as $x$, because
# rates multiply (2.3).
#
# $$\begin{aligned}
#   u &= 3x + 1, \quad f = u^2, \quad \text{at } x = 1: \quad u = 4 \\
#   \tfrac{du}{dx} &= 3, \quad \tfrac{df}{du} = 2u = 8, \qquad
#   \tfrac{df}{dx} = 8 \cdot 3 = 24
# \end{aligned}$$
#
# Now let there be two paths, so that $x$ changes both $u$ and $v$, and both change $f$. We multiply along
# each path. A small change of $x$ arrives at $f$ by both paths, so the two results add up.
#
# $$\begin{aligned}
#   u &= x^2, \quad v = 3x, \quad f = u v, \quad \text{at } x = 2: \quad u = 4, \; v = 6 \\
#   \text{through } u: \quad
#   \tfrac{\partial f}{\partial u} \cdot \tfrac{du}{dx} &= v \cdot 2x = 6 \cdot 4 = 24 \\
#   \text{through } v: \quad
#   \tfrac{\partial f}{\partial v} \cdot \tfrac{dv}{dx} &= u \cdot 3 = 4 \cdot 3 = 12 \\
#   \tfrac{df}{dx} &= 24 + 12 = 36
# \end{aligned}$$
#
# A central difference (2.3) measures the same slopes without any rule.


# %%
def central_difference(f, at, h=1e-6):
    """The slope of f at the number `at`."""
    return (f(at + h) - f(at - h)) / (2 * h)


one_path = central_difference(lambda x: (3 * x + 1) ** 2, 1.0)
two_paths = central_difference(lambda x: x**2 * (3 * x), 2.0)
print(f"one path:  on paper 24, measured {one_path:.6f}")
print(f"two paths: on paper 36, measured {two_paths:.6f}")
assert abs(one_path - 24) < 1e-6 and abs(two_paths - 36) < 1e-6

# %% [markdown]
# ## A neuron as a graph
#
# In a larger case, one neuron guesses a penguin's body mass from its flipper length. Its activation
# multiplies the weighted sum $z$ by a sigmoid of the same $z$, which is SiLU (5.2), so $z$ is used twice:
#
# $$z = wx + b, \qquad h = z\,\sigma(z), \qquad L = (h - y)^2 .$$
#
# Flipper and mass are in standard deviations from the mean, and we take the heaviest bird.

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

standard = (measurements - measurements.mean(axis=0)) / measurements.std(axis=0)  # (n, 2)
heaviest = standard[measurements[:, 1].argmax()]  # (2,): its flipper and its mass
leaves = {"w": 0.8, "x": float(heaviest[0]), "b": 0.3, "y": float(heaviest[1])}
print("   ".join(f"{name} {value:.3f}" for name, value in leaves.items()))

# %% [markdown]
# We cut the formula into steps so small that we know the derivative of each by heart. Every step is a
# node of a computational graph (4.2). For each node we write down which nodes it uses (its *parents*),
# how to compute it from them, and its *local derivatives*, which are its slopes along each parent with
# the other parents held still. The nodes are listed in such an order that each stands after its parents.


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)), in a form that does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * z))


graph = {  # name: (parents, value, local derivatives)
    "p": (("w", "x"), lambda w, x: w * x, lambda w, x: (x, w)),
    "z": (("p", "b"), lambda p, b: p + b, lambda p, b: (1.0, 1.0)),
    "s": (("z",), sigmoid, lambda z: (sigmoid(z) * (1 - sigmoid(z)),)),
    "h": (("z", "s"), lambda z, s: z * s, lambda z, s: (s, z)),
    "e": (("h", "y"), lambda h, y: h - y, lambda h, y: (1.0, -1.0)),
    "L": (("e",), lambda e: e * e, lambda e: (2 * e,)),
}

# %% [markdown]
# The forward pass means computing each node from its parents, from the first node to the last, and keeping
# all results. The function can also add a small number, `nudge`, to the value of one node, which the
# central differences below will need.


# %%
def evaluate(graph, leaves, nudged=None, nudge=0.0):
    """The value of every node, as {name: value}; the node called `nudged` comes out larger by `nudge`."""
    values = dict(leaves)
    if nudged in values:
        values[nudged] = values[nudged] + nudge
    for name, (parents, compute, _) in graph.items():
        values[name] = compute(*(values[parent] for parent in parents))
        if name == nudged:
            values[name] = values[name] + nudge
    return values


values = evaluate(graph, leaves)
print("   ".join(f"{name} {values[name]:.3f}" for name in graph))

# %% [markdown]
# ## Backward
#
# For every node $z$ we want $\partial L / \partial z$: how much the loss changes for a small change of
# $z$. We call it the gradient of $z$, for short, and `grad_z` in code. (Lessons 3.5, 5.2 and 5.6 computed
# the same quantity for their networks, and elsewhere it is also written $\delta$ or $\bar z$. From here
# on it is always $\partial L / \partial z$.)
#
# It begins at the end, with $\partial L / \partial L = 1$. Each node then gives each parent its own
# gradient times the local derivative, and a parent adds up what it receives:
#
# $$\frac{\partial L}{\partial u} = \sum_{v \text{ with parent } u}
#   \frac{\partial L}{\partial v} \cdot \frac{\partial v}{\partial u} .$$
#
# We go through the list from its end to its beginning. In the list every node stands after its parents. So
# when we come to a node, all nodes that use it have already had their turn, and its gradient is complete
# and may be passed on.


# %%
def backward(graph, values, output):
    """The gradient of every node, d(output) / d(node), as {name: number or array}."""
    grads = dict.fromkeys(values, 0.0)
    grads[output] = 1.0
    for name, (parents, _, local) in reversed(graph.items()):
        slopes = local(*(values[parent] for parent in parents))
        for parent, slope in zip(parents, slopes, strict=True):
            grads[parent] = grads[parent] + grads[name] * slope
    return grads


grads = backward(graph, values, "L")
direct = grads["h"] * values["s"]  # from z straight to h = z · s, whose slope along z is s
through_s = grads["s"] * values["s"] * (1 - values["s"])  # by way of s: the slope of the sigmoid (5.2)
print(f"z is used twice: {direct:.3f} directly, {through_s:.3f} through s, gradient {grads['z']:.3f}")
np.testing.assert_allclose(grads["z"], direct + through_s, rtol=1e-12)

# %% [markdown]
# ## Are they all right?
#
# There are two independent ways to check. The first needs no theory, because a central difference makes
# one node come out a little larger, then smaller, and sees what the loss does. The second is PyTorch,
# which runs the same formula. It throws the gradients of inner nodes away unless we call `retain_grad`
# (4.2).

# %%
measured = {}
for name in values:
    up = evaluate(graph, leaves, name, 1e-6)["L"]
    down = evaluate(graph, leaves, name, -1e-6)["L"]
    measured[name] = (up - down) / 2e-6

t = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in leaves.items()}
t["p"] = t["w"] * t["x"]
t["z"] = t["p"] + t["b"]
t["s"] = torch.sigmoid(t["z"])
t["h"] = t["z"] * t["s"]
t["e"] = t["h"] - t["y"]
t["L"] = t["e"] ** 2
for tensor in t.values():
    tensor.retain_grad()
t["L"].backward()
torch.testing.assert_close(t["h"], F.silu(t["z"]))

print(f"{'node':20s}{'value':>12s}{'gradient':>12s}{'measured':>12s}{'autograd':>12s}")
for name, tensor in t.items():
    row = values[name], grads[name], measured[name], tensor.grad.item()
    print(f"{name:20s}" + "".join(f"{number:12.3f}" for number in row))
    np.testing.assert_allclose(grads[name], tensor.grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads[name], measured[name], rtol=1e-6, atol=1e-7)

# %% [markdown]
# The last three columns agree for every node. The figure shows the same numbers on the graph: in each box
# the value and the gradient, and on each arrow the local derivative. Choose a leaf and multiply along its
# paths to $L$ before you look at its gradient.

# %%
positions = {"w": (0, 1), "x": (0, -1), "p": (1, 0), "b": (1, -2), "z": (2, -1), "s": (3, 1)}
positions |= {"h": (4, -1), "y": (4, 1), "e": (5, 0), "L": (6.5, 0)}

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
arrow = {"arrowstyle": "-|>", "color": "0.6", "shrinkA": 32, "shrinkB": 33}
label_box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
centered = {"ha": "center", "va": "center", "fontsize": 9}
for name, (parents, _, local) in graph.items():
    slopes = local(*(values[parent] for parent in parents))
    for parent, slope in zip(parents, slopes):
        start = np.array(positions[parent])  # (2,)
        end = np.array(positions[name])  # (2,)
        ax.annotate("", end, start, arrowprops=arrow)
        middle = 0.52 * start + 0.48 * end  # (2,)
        ax.text(middle[0], middle[1], f"×{slope:.2f}", bbox=label_box, **centered)
for name, (column, row) in positions.items():
    box = {"boxstyle": "round", "facecolor": "white" if name in graph else "0.93", "edgecolor": "0.4"}
    ax.text(column, row, f"{name}\n{values[name]:.2f}\ngrad {grads[name]:.2f}", bbox=box, **centered)
ax.set(xlim=(-0.4, 6.9), ylim=(-2.7, 1.7), title="Values, gradients, and local derivatives")
ax.axis("off")
plt.show()

# %% [markdown]
# From `b` to `L` there are two paths, because `z` leads to `h` directly and through `s`. Multiply along
# each, add, and you get the gradient in the box of `b`. The gradient of `L` with respect to the error `e`
# is negative, because the neuron guesses too low. Raising `b` raises the guess here, along both paths, and
# so it would lower the loss.
#
# ## All birds at once
#
# Nothing in the code depends on a value being a single number, so we can put in all birds as arrays. The
# same $w$ then goes into every bird's loss, which makes it a node with many paths. How does its gradient
# follow from those of the single birds, if the loss is the sum of their losses?

# %%
all_birds = {"w": leaves["w"], "x": standard[:, 0], "b": leaves["b"], "y": standard[:, 1]}
grad_w_by_bird = backward(graph, evaluate(graph, all_birds), "L")["w"]  # (n,)

shared_w = torch.tensor(leaves["w"], dtype=torch.float64, requires_grad=True)
flipper, mass = torch.from_numpy(standard).T  # (n,) each
predicted = F.silu(shared_w * flipper + leaves["b"])  # (n,)
((predicted - mass) ** 2).sum().backward()
print(f"{len(grad_w_by_bird)} birds: sum of their gradients {grad_w_by_bird.sum():.3f}")
print(f"autograd, for the w that they share: {shared_w.grad:.3f}")
np.testing.assert_allclose(grad_w_by_bird.sum(), shared_w.grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# It is the sum of the birds' gradients, because we add over paths. This is why the gradient of a shared
# parameter is a sum over the batch (or a mean, if the loss is the mean of the examples' losses).
#
# ## Why not follow the paths one by one?
#
# We could also take the rule literally, list all paths from $w$ to $L$, multiply along each, and add. The
# result must be the same, but is the work? To find out we chain up diamonds, in which $x_0$ leads to two
# nodes that meet again in $x_1$, which leads to the next two, and so on. How many paths are there through
# ten diamonds, and how many arrows?


# %%
def paths(graph, start, end):
    """Every path from node `start` to node `end`, as lists of (parent, node) arrows."""
    if start == end:
        return [[]]
    found = []
    for name, (parents, _, _) in graph.items():
        if start in parents:
            for rest in paths(graph, name, end):  # every way on from that node
                found.append([(start, name), *rest])  # the arrow to it, then the rest of the way
    return found


def sum_over_paths(graph, values, start, end):
    """d(end)/d(start), path by path; ValueError if a node uses the same parent twice."""
    total = 0.0
    for path in paths(graph, start, end):
        product = 1.0
        for parent, name in path:
            parents, _, local = graph[name]
            if len(set(parents)) < len(parents):
                raise ValueError(f"{name} uses a parent twice: {parents}")
            product *= local(*(values[p] for p in parents))[parents.index(parent)]
        total += product
    return total


for path in paths(graph, "w", "L"):
    print("w -> " + " -> ".join(name for _, name in path))
np.testing.assert_allclose(sum_over_paths(graph, values, "w", "L"), grads["w"], rtol=1e-10, atol=1e-12)

# %%
branch_slopes = (0.6, 0.5)  # one for each branch of a diamond


def row_of_diamonds(n, branch_slopes):
    """A graph of n diamonds from "x0" to f"x{n}", each with one branch for each of the slopes."""
    diamonds = {}
    for i in range(n):
        branches = []
        for k, slope in enumerate(branch_slopes):
            branches.append(f"u{i}{k}")
            # the default arguments hold on to this slope; without them all branches would see the last one
            diamonds[f"u{i}{k}"] = ((f"x{i}",), lambda x, s=slope: s * x, lambda x, s=slope: (s,))
        diamonds[f"x{i + 1}"] = (tuple(branches), lambda *u: sum(u), lambda *u: (1.0,) * len(u))
    return diamonds


sizes = list(range(1, 11))
n_paths = []
n_arrows = []
for n in sizes:
    diamonds = row_of_diamonds(n, branch_slopes)
    n_paths.append(len(paths(diamonds, "x0", f"x{n}")))
    n_arrows.append(sum(len(parents) for parents, _, _ in diamonds.values()))
    diamond_values = evaluate(diamonds, {"x0": 1.0})
    by_paths = sum_over_paths(diamonds, diamond_values, "x0", f"x{n}")
    by_backward = backward(diamonds, diamond_values, f"x{n}")["x0"]
    np.testing.assert_allclose([by_paths, by_backward], sum(branch_slopes) ** n, rtol=1e-10, atol=1e-12)
print(f"{sizes[-1]} diamonds: {n_paths[-1]:,} paths, {n_arrows[-1]} arrows")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(sizes, n_paths, "o-", color="C0", label="paths from start to end")
ax.semilogy(sizes, n_arrows, "s--", color="C1", label="arrows, each crossed once by backward")
ax.set(xlabel="diamonds in a row", ylabel="count", title="Paths and arrows in a row of diamonds")
ax.legend()
plt.show()

# %% [markdown]
# The scale is logarithmic, so the straight line of the paths means that each diamond multiplies their
# number, here by two. The arrows only grow by the same amount each time. `backward` crosses each arrow
# once, because it adds up at a meeting point _before_ it goes on. A network layer is wider than a diamond,
# and with $n$ units in each of $k$ layers there are $n^k$ paths from one input to one output. Because
# backpropagation adds before it goes on, its work grows with the number of arrows and not with the number
# of paths.
#
# ## Vectors in, vectors out
#
# If $n$ numbers go in and $m$ come out, there is one slope for each pair. The $(m, n)$ matrix $J_{ij} =
# \partial y_i / \partial x_j$ is called the *Jacobian*. For $y = Wx$ it is $W$ itself, and for tanh,
# element by element, it is diagonal, because each output depends on one input. The chain rule becomes a
# matrix product, since entry $(i, j)$ of $J_2 J_1$ multiplies along the path through each middle number
# and adds over these paths. We take the image of a digit through a small network:

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink

image = images[0]  # (64,)
weight1 = rng.normal(size=(16, 64)) / 8  # (n_out, n_in), as everywhere
weight2 = rng.normal(size=(10, 16)) / 4


def network(image):
    """Ten scores for one image: (64,) -> (10,)."""
    return weight2 @ np.tanh(weight1 @ image)  # (10, 16) @ ((16, 64) @ (64,)) -> (10,)


hidden = np.tanh(weight1 @ image)  # (16, 64) @ (64,) -> (16,)
jacobian = weight2 @ np.diag(1 - hidden**2) @ weight1  # (10, 16) @ (16, 16) @ (16, 64) -> (10, 64)

columns = np.empty((10, 64))
for j, direction in enumerate(np.eye(64)):  # direction: (64,), one pixel
    columns[:, j] = (network(image + 1e-6 * direction) - network(image - 1e-6 * direction)) / 2e-6

torch_weight1 = torch.from_numpy(weight1)
torch_weight2 = torch.from_numpy(weight2)


def torch_network(image):
    """The same with tensors."""
    return torch_weight2 @ torch.tanh(torch_weight1 @ image)  # (10, 16) @ ((16, 64) @ (64,)) -> (10,)


by_rows = torch.func.jacrev(torch_network)(torch.from_numpy(image))  # (10, 64)
print(f"from {image.shape} to {network(image).shape}: the Jacobian is {jacobian.shape}")
np.testing.assert_allclose(columns, jacobian, rtol=1e-6, atol=1e-8)
np.testing.assert_allclose(jacobian, by_rows, rtol=1e-10, atol=1e-12)

# %% [markdown]
# All three matrices agree. A nudge to one pixel measured one column, and PyTorch's `jacrev` goes backward
# once for each score and so fills the matrix row by row.
#
# ## Nobody builds the matrix
#
# A loss is one number, so training needs no Jacobian. The loss gives one number for each score, the row
# vector $\partial L / \partial y$, and we need one for each pixel, $\partial L / \partial x$. By the
# chain rule the two are connected by a *vector-Jacobian product*:
#
# $$\frac{\partial L}{\partial x} = \frac{\partial L}{\partial y}\, J
#   = \Bigl(\Bigl(\frac{\partial L}{\partial y}\, W_2\Bigr)\, \mathrm{diag}(1 - h^2)\Bigr)\, W_1 .$$
#
# With brackets from the left, only vectors occur on the way. A function from $\partial L / \partial y$ to
# $\partial L / \partial x$ is called the *vjp* of an operation, and the vector that goes in is also
# called a cotangent (4.2). Each operation needs one such function, and the two below work on whole
# batches.


# %%
def linear_vjp(weight, grad_y):
    """From dL/dy to dL/dx for y = x @ weight.T; grad_y: (..., n_out), result: (..., n_in).

    Raises ValueError if grad_y does not end in n_out, the rows of weight.
    """
    if grad_y.shape[-1] != len(weight):
        raise ValueError(f"the gradient has shape {grad_y.shape} but the weight {weight.shape}")
    return grad_y @ weight  # (..., n_out) @ (n_out, n_in) -> (..., n_in)


def tanh_vjp(h, grad_h):
    """From dL/dh to dL/dz for h = tanh(z), both of h's shape; the diagonal matrix is never built.

    Raises ValueError if the shapes differ.
    """
    if grad_h.shape != h.shape:
        raise ValueError(f"the gradient has shape {grad_h.shape} but the output {h.shape}")
    return grad_h * (1 - h * h)


grad_scores = rng.normal(size=10)  # (10,): as if some loss had given it
grad_hidden = linear_vjp(weight2, grad_scores)  # (16,)
grad_sums = tanh_vjp(hidden, grad_hidden)  # (16,)
grad_image = linear_vjp(weight1, grad_sums)  # (64,)
np.testing.assert_allclose(grad_image, grad_scores @ jacobian, rtol=1e-10, atol=1e-12)  # (10,) @ (10, 64)

n_hidden, n_in = weight1.shape
n_out = len(weight2)
# weight2 times a diagonal matrix, the result times weight1, and the vector times that Jacobian
with_matrices = n_out * n_hidden + n_out * n_hidden * n_in + n_out * n_in
# the vector times weight2, the result times a diagonal, and that times weight1
with_vectors = n_out * n_hidden + n_hidden + n_hidden * n_in
print(f"multiplications: {with_matrices:,} with the Jacobian, {with_vectors:,} with vectors")

# %% [markdown]
# The result is the same, at a fraction of the multiplications. These two functions, and a few more of
# their kind, are all that lessons 6.2, 6.4 and 6.6 need.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert grads["e"] < 0, "the neuron guesses too low for the heaviest bird"
assert grads["b"] < 0, "raising b would lower the loss"
assert len(paths(graph, "b", "L")) == 2, "two paths lead from b to L"
assert n_paths == [2**n for n in sizes], "each diamond doubles the number of paths"
assert set(np.diff(n_arrows)) == {4}, "each diamond adds the same number of arrows"
assert with_matrices > 5 * with_vectors, "vectors take a fraction of the multiplications"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It shows the Jacobian of a whole batch, to see once what a vector-Jacobian
# product leaves out.
#
# ### A batch's Jacobian is mostly zeros
#
# Three digits go through one layer with tanh. How large is the matrix of all slopes, from every pixel to
# every output, and what do you expect in it?

# %%
batch = torch.from_numpy(images[:3])  # (3, 64)
blocks = torch.func.jacrev(lambda x: torch.tanh(x @ torch_weight1.T))(batch)  # (3, 16, 3, 64)
table = blocks.reshape(3 * 16, 3 * 64).numpy()  # (48, 192): rows are outputs, columns are pixels
share_of_zeros = np.mean(table == 0)
print(f"share of zeros {share_of_zeros:.3f}")

n_values = 256 * 512  # numbers in a batch of 256 examples with 512 features
print(f"tanh on {n_values:,} numbers in float64: the Jacobian takes {8 * n_values**2 / 1e9:,.0f} GB,")
print(f"its diagonal {8 * n_values / 1e6:.0f} MB")

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
limit = np.abs(table).max()
drawn = ax.imshow(table, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
ax.set(xlabel="pixel (64 for each digit)", ylabel="output (16 for each digit)")
ax.set_title("Jacobian of one tanh layer for a batch of three digits")
ax.set(xticks=[0, 64, 128], yticks=[0, 16, 32])
fig.colorbar(drawn, ax=ax, label="slope")
plt.show()

# %% [markdown]
# Only three blocks on the diagonal are filled, because no digit's outputs depend on another digit's pixels.
# (A blank pixel has a slope, too, because ink there _would_ change the outputs.) For the larger batch in
# the printed lines, the full matrix of one layer would take over a hundred gigabytes and its diagonal about
# one megabyte. The vector-Jacobian product makes neither.

# %%
assert abs(share_of_zeros - 2 / 3) < 1e-10, "two thirds of a batch of three are zeros"
assert 8 * n_values**2 > 100e9, "for a larger batch the Jacobian takes over a hundred gigabytes"

# %% [markdown]
# ## What to remember
#
# - Along a path the local derivatives multiply; over paths the products add up.
# - Backward starts with 1 at the loss and gives each parent the node's gradient times the local
#   derivative. A parent adds up what it receives before it passes anything on, so each arrow is crossed
#   once.
# - A parameter that is used for every example gets the sum of their gradients.
# - For vectors, each operation needs a vector-Jacobian product, and the Jacobian is never built.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `leaves`, set `b` to $-6$, so that the sigmoid is nearly zero. Which of the two paths through $z$
#    is the stronger one now, and do they still agree in sign? Look at the line "z is used twice" and at
#    the first figure.
# 2. Give each diamond a third branch: `branch_slopes = (0.6, 0.5, 0.4)`. How many paths lead through ten
#    diamonds now, and how many arrows are there? Look at the second figure.
# 3. From a blank cell: write `log_softmax_vjp(log_probs, grad)` for the logarithm of a softmax (5.2),
#    whose Jacobian is $J_{ij} = [i = j] - p_j$, without building $J$. Compare with `torch.func.vjp(lambda
#    z: torch.log_softmax(z, dim=0), z)[1](grad)[0]`.
#
# ## Sources
#
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   _Nature_ 323, 1986.
# - A. Griewank, A. Walther, _Evaluating Derivatives_, 2nd edition, 2008, chapter 3: why adding before
#   going on makes all gradients as cheap as one.
# - W. Baur, V. Strassen, "The complexity of partial derivatives", _Theoretical Computer Science_ 22,
#   1983: all derivatives for a small multiple of the cost of the function.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020, and E. Alpaydin, C. Kaynak, _Optical
#   Recognition of Handwritten Digits_, UCI, 1998: the data.
