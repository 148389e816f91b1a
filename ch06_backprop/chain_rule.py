# %% [markdown]
# # 6.1 The chain rule: multiply along a path, add over paths
#
# Change euros into dollars and the dollars into yen: the two rates multiply. Send half of the euros by way
# of pounds instead, and the yen from both ways add up. A network is a large exchange office, where a nudge
# to one weight reaches the loss by many ways at once, and no more than these two rules is needed to say
# how strongly.
#
# **You will build** a graph that knows the derivative at every one of its nodes, then the same for whole
# vectors. **You need** the chain rule as gears (2.3), gradients (2.4) and a layer (5.4).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One path: $u = 3x + 1$, then $f = u^2$. At $x = 1$, $u = 4$. A nudge to $x$ arrives at $u$ three times as
# large, and a nudge to $u$ arrives at $f$ times $2u = 8$: together $24$.
#
# Two paths: $u = x^2$ and $v = 3x$, then $f = uv$. At $x = 2$, $u = 4$ and $v = 6$. Through $u$ the rate
# is $v \cdot 2x = 24$, through $v$ it is $u \cdot 3 = 12$: together $36$.

# %%
nudge = 1e-6
cases = (
    (lambda x: (3 * x + 1) ** 2, 1.0, 8 * 3),  # one path
    (lambda x: x**2 * (3 * x), 2.0, 24 + 12),  # two paths
)
for f, x, by_hand in cases:
    measured = (f(x + nudge) - f(x - nudge)) / (2 * nudge)
    print(f"by hand {by_hand}   measured {measured:.6f}")
    assert abs(measured - by_hand) < 1e-6

# %% [markdown]
# ## A penguin, step by step
#
# A larger case: one neuron guesses a penguin's mass from its flipper. Its output passes a *gate*, a
# sigmoid of the same sum $z$, so that $z$ is used twice:
#
# $$z = wx + b, \qquad h = z\,\sigma(z), \qquad L = (h - y)^2 .$$
#
# Both measurements are in standard deviations from the mean. We take a heavy bird.

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

standard = (measurements - measurements.mean(axis=0)) / measurements.std(axis=0)  # (n, 2)
x, y = standard[measurements[:, 1].argmax()].tolist()
leaves = {"w": 0.8, "x": x, "b": 0.3, "y": y}
print("   ".join(f"{name} {value:.3f}" for name, value in leaves.items()))

# %% [markdown]
# Cut the formula into steps so small that each has a derivative you know by heart. Every step is a *node*
# of a *graph*: the nodes it uses (its *parents*), how to compute it, and its *local derivatives*, one for
# each parent, taken as if nothing else existed. Nodes are written after their parents.


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
# *Forward*: compute each node from its parents, top to bottom, and keep every result. For the check that
# comes later, one node can be told to come out a little too large.


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
expected = (lambda z: z / (1 + np.exp(-z)) - y)(0.8 * x + 0.3) ** 2
assert abs(values["L"] - expected) < 1e-12

# %% [markdown]
# ## Backward
#
# Write $\bar z$ for $\partial L / \partial z$: how much the loss changes for each bit that $z$ does. At
# the end, $\bar L = 1$. Each node then hands every parent its own derivative times the local one, and a
# parent adds up what it is handed:
#
# $$\bar u = \sum_{v \text{ made from } u} \bar v \; \frac{\partial v}{\partial u} .$$
#
# We go from the last node to the first, so that a node has heard from all its users before it speaks.


# %%
def backward(graph, values, output):
    """The derivative of the node `output` along every node, as {name: derivative}."""
    bar = dict.fromkeys(values, 0.0)
    bar[output] = 1.0
    for name, (parents, _, local) in reversed(graph.items()):
        slopes = local(*(values[parent] for parent in parents))
        for parent, slope in zip(parents, slopes, strict=True):
            bar[parent] = bar[parent] + bar[name] * slope
    return bar


bar = backward(graph, values, "L")
through_gate = bar["s"] * values["s"] * (1 - values["s"])
straight = bar["h"] * values["s"]
print(f"z is used twice: {straight:.3f} from h + {through_gate:.3f} from s = {bar['z']:.3f}")
assert abs(straight + through_gate - bar["z"]) < 1e-12

# %% [markdown]
# ## Is every one of them right?
#
# Two examiners. A central difference needs no theory: let one node come out larger, then smaller, and see
# what the loss does. PyTorch runs the same formula and keeps the gradients of inner nodes when asked.

# %%
nudge = 1e-6
measured = {}
for name in values:
    up, down = (evaluate(graph, leaves, name, step)["L"] for step in (nudge, -nudge))
    measured[name] = (up - down) / (2 * nudge)

w, x, b, y = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in leaves.values())
p = w * x
z = p + b
s = torch.sigmoid(z)
h = z * s
e = h - y
loss = e * e
tensors = {"w": w, "x": x, "b": b, "y": y, "p": p, "z": z, "s": s, "h": h, "e": e, "L": loss}
for tensor in tensors.values():
    tensor.retain_grad()
loss.backward()

# %%
print(f"{'node':20s}{'value':>12s}{'derivative':>12s}{'measured':>12s}{'autograd':>12s}")
for name, tensor in tensors.items():
    row = values[name], bar[name], measured[name], tensor.grad.item()
    print(f"{name:20s}" + "".join(f"{number:12.3f}" for number in row))
    np.testing.assert_allclose(bar[name], tensor.grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(bar[name], measured[name], rtol=1e-6, atol=1e-8)

# %% [markdown]
# The whole story in one picture: values under the names, the gradients (derivatives of $L$) below them,
# and on each arrow the local derivative. Multiply along any path from a leaf to $L$; where paths meet
# again going left, add.

# %%
positions = {"w": (0, 1), "x": (0, -1), "p": (1, 0), "b": (1, -2), "z": (2, -1), "s": (3, 1), "h": (4, -1)}
positions |= {"y": (4, 1), "e": (5, 0), "L": (6.5, 0)}

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
for name, (parents, _, local) in graph.items():
    for parent, slope in zip(parents, local(*(values[parent] for parent in parents))):
        start, end = np.array(positions[parent]), np.array(positions[name])  # each (2,)
        arrow = {"arrowstyle": "-|>", "color": "0.6", "shrinkA": 32, "shrinkB": 33}
        ax.annotate("", end, start, arrowprops=arrow)
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        ax.text(*(0.52 * start + 0.48 * end), f"×{slope:.2f}", ha="center", va="center", fontsize=9, bbox=box)
for name, (column, row) in positions.items():
    box = {"boxstyle": "round", "facecolor": "white" if name in graph else "0.93", "edgecolor": "0.4"}
    text = f"{name}\n{values[name]:.2f}\ngrad {bar[name]:.2f}"
    ax.text(column, row, text, ha="center", va="center", fontsize=9, bbox=box)
ax.set(
    xlim=(-0.4, 6.9), ylim=(-2.7, 1.7), title="Slopes multiply along arrows, and add where z has two users"
)
ax.axis("off")
plt.show()

# %% [markdown]
# ## All birds at once
#
# Nothing above cared whether a value is one number or an array of them. For all birds, the same $w$ goes
# into every bird's loss: a fan-out with hundreds of branches. So the derivative of the summed loss is the
# sum of the birds' derivatives.

# %%
flock = {"w": 0.8, "x": standard[:, 0], "b": 0.3, "y": standard[:, 1]}
bars = backward(graph, evaluate(graph, flock), "L")
total = bars["w"].sum()

w = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
x, y = torch.from_numpy(standard).T  # each (n,)
z = w * x + 0.3
((z * torch.sigmoid(z) - y) ** 2).sum().backward()
print(f"{len(bars['w'])} derivatives, their sum {total:.3f}, autograd {w.grad:.3f}")
np.testing.assert_allclose(total, w.grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Why not follow the paths one by one?
#
# The rule says "multiply along each path, then add". We can take it at its word: list all paths, multiply,
# add. It gives the same number.


# %%
def paths(graph, start, end):
    """Every path from node `start` to node `end`, as lists of (parent, node) arrows."""
    if start == end:
        return [[]]
    found = []
    for name, (parents, _, _) in graph.items():
        if start in parents:
            found += [[(start, name), *rest] for rest in paths(graph, name, end)]
    return found


def sum_over_paths(graph, values, start, end):
    """d(end)/d(start) by the rule's own words; no node may use the same parent twice."""
    total = 0.0
    for path in paths(graph, start, end):
        product = 1.0
        for parent, name in path:
            parents, _, local = graph[name]
            product *= local(*(values[p] for p in parents))[parents.index(parent)]
        total += product
    return total


for path in paths(graph, "w", "L"):
    print("w -> " + " -> ".join(name for _, name in path))
np.testing.assert_allclose(sum_over_paths(graph, values, "w", "L"), bar["w"], rtol=1e-10, atol=1e-12)

# %% [markdown]
# Now put diamonds in a row: $x$ splits into two nodes that meet again, and their sum splits again. Each
# diamond doubles the number of paths. `backward` adds at each meeting point *before* it goes on, so it
# crosses every arrow once.


# %%
def row_of_diamonds(n):
    """A graph of n diamonds from "x0" to f"x{n}", each multiplying by 0.6 + 0.5."""
    diamonds = {}
    for i in range(n):
        diamonds[f"u{i}"] = ((f"x{i}",), lambda x: 0.6 * x, lambda x: (0.6,))
        diamonds[f"v{i}"] = ((f"x{i}",), lambda x: 0.5 * x, lambda x: (0.5,))
        diamonds[f"x{i + 1}"] = ((f"u{i}", f"v{i}"), lambda u, v: u + v, lambda u, v: (1.0, 1.0))
    return diamonds


sizes = list(range(1, 11))
n_paths, n_arrows = [], []
for n in sizes:
    diamonds = row_of_diamonds(n)
    n_paths.append(len(paths(diamonds, "x0", f"x{n}")))
    n_arrows.append(sum(len(parents) for parents, _, _ in diamonds.values()))
    path_slope = sum_over_paths(diamonds, evaluate(diamonds, {"x0": 1.0}), "x0", f"x{n}")
    slope = backward(diamonds, evaluate(diamonds, {"x0": 1.0}), f"x{n}")["x0"]
    np.testing.assert_allclose([slope, path_slope], 1.1**n, rtol=1e-10, atol=1e-12)
assert n_paths == [2**n for n in sizes] and n_arrows == [4 * n for n in sizes]
print(f"{sizes[-1]} diamonds: {n_paths[-1]:,} paths, {n_arrows[-1]} arrows")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(sizes, n_paths, "o-", color="C0", label="paths to multiply along")
ax.semilogy(sizes, n_arrows, "s--", color="C1", label="arrows that backward crosses")
ax.set(xlabel="diamonds in a row", ylabel="count", title="Paths double, the work of backward does not")
ax.legend()
plt.show()

# %% [markdown]
# A network layer is wider than a diamond: with $n$ units in each of $k$ layers there are $n^k$ paths.
# Adding before going on is the whole trick of *backpropagation*.
#
# ## Vectors: a table of slopes
#
# When $n$ numbers go in and $m$ come out, there is a slope for each pair. The $(m, n)$ table
# $J_{ij} = \partial y_i / \partial x_j$ is the *Jacobian*. For $y = Wx$ it is $W$; for tanh, element by
# element, it is diagonal. The chain rule multiplies tables: entry $(i, j)$ of $J_2 J_1$ multiplies along
# the path through each middle number, and adds. We take a scanned digit through a small network.

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
print(f"from {image.shape} to {network(image).shape}: the Jacobian is {jacobian.shape}")

# %% [markdown]
# ## By columns, by rows
#
# Column $j$ says what a nudge to pixel $j$ does to all scores. Nudge the pixels one at a time and the
# table fills up column by column. PyTorch's `jacrev` fills it row by row, going backward from each score.
# All three must agree.

# %%
nudge = 1e-6
columns = np.empty((10, 64))
for j, direction in enumerate(np.eye(64)):  # direction: (64,), one pixel
    columns[:, j] = (network(image + nudge * direction) - network(image - nudge * direction)) / (2 * nudge)
np.testing.assert_allclose(columns, jacobian, rtol=1e-6, atol=1e-8)

first, second = torch.from_numpy(weight1), torch.from_numpy(weight2)
by_rows = torch.func.jacrev(lambda pixels: second @ torch.tanh(first @ pixels))(torch.from_numpy(image))
largest = np.abs(by_rows.numpy() - jacobian).max()
print(f"largest difference to jacrev {largest:.1e}")
np.testing.assert_allclose(jacobian, by_rows, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Nobody builds the table
#
# A loss needs no table. It hands back one number per score, $\bar y_i = \partial L / \partial y_i$, called
# a *cotangent*, and wants one per pixel: $\bar x = \bar y J$, a *vector-Jacobian product*. Bracketed from
# the left, it only ever holds a vector:
#
# $$\bar y J = \bigl((\bar y\, W_2)\, \mathrm{diag}(1 - h^2)\bigr)\, W_1 .$$
#
# Each operation needs one small function, which works on a whole batch.


# %%
def linear_vjp(weight, cotangent):
    """From ∂L/∂y to ∂L/∂x for y = x @ weight.T; cotangent: (..., n_out), result: (..., n_in).

    Raises ValueError where the cotangent does not end in n_out, the rows of weight.
    """
    if cotangent.shape[-1] != len(weight):
        raise ValueError(f"the cotangent has shape {cotangent.shape} but the weight {weight.shape}")
    return cotangent @ weight  # (..., n_out) @ (n_out, n_in) -> (..., n_in)


def tanh_vjp(h, cotangent):
    """From ∂L/∂h to ∂L/∂z for h = tanh(z), both of h's shape; the diagonal is never written out.

    Raises ValueError where the shapes differ.
    """
    if cotangent.shape != h.shape:
        raise ValueError(f"the cotangent has shape {cotangent.shape} but the output {h.shape}")
    return cotangent * (1 - h * h)


cotangent = rng.normal(size=10)  # (10,): what some loss handed back
grad = linear_vjp(weight1, tanh_vjp(hidden, linear_vjp(weight2, cotangent)))  # (64,)
np.testing.assert_allclose(grad, cotangent @ jacobian, rtol=1e-10, atol=1e-12)  # (10,) @ (10, 64) -> (64,)

# %% [markdown]
# How much is saved? Count the multiplications for the digit, and the memory of a tanh over a batch, where
# each output depends on one input only.

# %%
n_in, n_hidden, n_out = 64, 16, 10
with_tables = n_out * n_hidden + n_out * n_hidden * n_in + n_out * n_in
with_vectors = n_out * n_hidden + n_hidden + n_hidden * n_in
print(f"multiplications: {with_tables:,} with the table, {with_vectors:,} without")
assert with_tables > 5 * with_vectors

batch_size, width = 256, 512
n_values = batch_size * width
print(f"tanh on a ({batch_size}, {width}) batch in float64:")
print(
    f"the Jacobian would take {8 * n_values**2 / 1e9:,.0f} GB, its diagonal takes {8 * n_values / 1e6:.0f} MB"
)

# %% [markdown]
# Even a small batch shows why. Three digits through one layer of tanh: no digit's outputs depend on
# another digit's pixels, and the table says so with zeros. (A blank pixel's slope is not zero: ink there
# *would* matter.)

# %%
batch = torch.from_numpy(images[:3])  # (3, 64)
blocks = torch.func.jacrev(lambda x: torch.tanh(x @ first.T))(batch)  # (3, 16, 3, 64)
table = blocks.reshape(3 * 16, 3 * 64).numpy()  # (48, 192): a row an output, a column a pixel
zeros = np.mean(table == 0)
print(f"share of zeros in the table {zeros:.3f}")
np.testing.assert_allclose(zeros, 2 / 3, rtol=1e-10)

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
limit = np.abs(table).max()
drawn = ax.imshow(table, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
ax.set(xlabel="pixel (64 for each digit)", ylabel="output (16 for each digit)")
ax.set_title("A batch's Jacobian is mostly zeros: one block a digit")
ax.set(xticks=[0, 64, 128], yticks=[0, 16, 32])
fig.colorbar(drawn, ax=ax, label="slope")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Slopes multiply along a path and add over paths. A value used twice gets two shares.
# - Backward adds at every node before it goes on, and so crosses each arrow once, however many paths there
#   are.
# - An operation needs no Jacobian. It needs a function from its output's cotangent to its input's.
# - A derivative by hand counts once a central difference has agreed.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. In `backward`, replace the sum by plain assignment, `bar[parent] = bar[name] * slope`. Which
#    derivatives come out wrong, and why only those?
# 2. Set `b` so low that the gate closes. Which leaves' derivatives vanish, and which leaf's does not?
# 3. Replace the gate's sigmoid by `1 / (1 + z * z)`. Which line of `graph` changes, in which two places?
#
# ## Sources
#
# - L. B. Rall, *Automatic Differentiation: Techniques and Applications*, 1981: derivatives on a graph of
#   steps.
# - A. Griewank, A. Walther, *Evaluating Derivatives*, 2nd edition, 2008, chapters 2 and 3: the bar
#   notation, and why going backward is cheap.
# - W. Baur, V. Strassen, "The complexity of partial derivatives", *Theoretical Computer Science* 22, 1983:
#   all derivatives for a small multiple of the cost of the function.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020; E. Alpaydin, C. Kaynak, *Optical
#   Recognition of Handwritten Digits*, 1998: the data.
