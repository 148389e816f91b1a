# %% [markdown]
# # 4.2 The computational graph: where gradients come from
#
# A weather model, a chat assistant and a network that reads X-ray pictures have in common that somebody
# wrote down how to compute a loss, and nobody wrote down its derivatives. After one call of
# `loss.backward()` every one of perhaps a billion parameters has its gradient. How is that possible, when
# the program is ordinary Python with loops and conditions?
#
# PyTorch writes down each operation while it is carried out. The record is called the *computational
# graph*, and the part of PyTorch that keeps it and computes derivatives from it is *autograd*. Most
# surprises with gradients, such as missing ones, doubled ones and memory that fills up, come from not
# knowing what is in the graph.
#
# **You will build** your own `backward`, which walks through PyTorch's graph, and a picture of the graph;
# you will find out what is recorded and for how long, and make the classic mistakes on purpose. **You
# need** gradients and the chain rule (2.3, 2.4), the training loop (3.3) and tensors (4.1). How the
# recorder itself is made is the subject of lessons 6.3 and 6.6.

# %%
import weakref
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# A scale should show $3$ and shows the product $z = w x$. The loss is $L = (z - 3)^2$, with $w = 2$ and
# $x = -1$. We compute forward first, and then backward, from the loss to the inputs. Going backward, each
# step multiplies the gradient that has arrived by the derivative of the operation.
#
# $$\begin{aligned}
#   \text{forward} \quad z &= w x = 2 \cdot (-1) = -2 \\
#   L &= (z - 3)^2 = (-5)^2 = 25 \\
#   \text{backward} \quad \frac{\partial L}{\partial z} &= 2 (z - 3) = -10 \\
#   \frac{\partial L}{\partial w} &= \frac{\partial L}{\partial z} \cdot x = (-10) \cdot (-1) = 10 \\
#   \frac{\partial L}{\partial x} &= \frac{\partial L}{\partial z} \cdot w = (-10) \cdot 2 = -20
# \end{aligned}$$
#
# In PyTorch we mark the tensors whose gradient we want with `requires_grad=True`, and one call does the
# rest.

# %%
w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
x = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
z = w * x
loss = (z - 3) ** 2
loss.backward()
print(f"loss {loss.item():.0f}   dL/dw {w.grad.item():.0f}   dL/dx {x.grad.item():.0f}")
assert (loss, w.grad, x.grad) == (25, 10, -20)

# %% [markdown]
# ## Leaves and nodes
#
# A tensor that we made ourselves is called a *leaf* (and so is one that was computed from unmarked
# tensors only). A tensor that was computed from a marked one has a *node* of the graph in its attribute
# `grad_fn`, which remembers the operation and what is needed for its derivative. After `backward`, the
# gradient is kept in `.grad` of those leaves that asked for it. What lies between, like $z$, passes its
# gradient on and forgets it, unless we call `retain_grad()` beforehand.

# %%
target = torch.tensor(3.0, dtype=torch.float64)
z = w * x
z.retain_grad()
loss = (z - target) ** 2
loss.backward()
print(f"{'tensor':20s}{'is_leaf':>12s}{'requires_grad':>16s}{'grad_fn':>20s}{'grad':>10s}")
for name, tensor in {"w": w, "target": target, "z": z}.items():
    node_name = tensor.grad_fn.name() if tensor.grad_fn else "none"
    grad = "none" if tensor.grad is None else f"{tensor.grad.item():.0f}"
    print(f"{name:20s}{tensor.is_leaf!s:>12s}{tensor.requires_grad!s:>16s}{node_name:>20s}{grad:>10s}")

# %% [markdown]
# The target is a leaf, too, but nobody asked for its gradient, so it has none and nothing is recorded for
# it. In the last column, $w$ has $20$ and not $10$, because we have called `backward` twice and each call
# _adds_ to `.grad`, a point to which we will come back.
#
# ## Running backward ourselves
#
# Each node names the nodes that it depends on in `next_functions`. If we follow them from the loss, we
# reach everything that was recorded. The walk ends at nodes called `AccumulateGrad`, one for each marked
# leaf, which add to the leaf's `.grad`.


# %%
def graph_nodes(tensor):
    """The nodes that `tensor` was computed through, each after those that it depends on."""
    nodes = []

    def visit(node):
        if node is not None and node not in nodes:
            for parent, _ in node.next_functions:
                visit(parent)
            nodes.append(node)

    visit(tensor.grad_fn)
    return nodes


loss = (w * x - target) ** 2
print(" -> ".join(node.name() for node in graph_nodes(loss)))

# %% [markdown]
# A node can be called like a function. If we hand it the gradient of the loss with respect to its
# output, it returns the gradients with respect to its inputs, which is the chain rule for one operation.
# So a `backward` of our own is short:
#
# 1. Start at the loss with $\partial L / \partial L = 1$.
# 2. Go through the nodes in reverse order, so that a node comes after all nodes that used its result.
# 3. Call each node with the gradient that has arrived. If a result was used several times, several
#    gradients arrive, and they are added.


# %%
def our_backward(tensor):
    """What `tensor.backward()` does, for a tensor of one element whose nodes each have one output.

    Raises ValueError if the tensor has more elements, because its derivative would not be one number.
    """
    if tensor.numel() != 1:
        raise ValueError(f"only a tensor of one element has a gradient here, got {tuple(tensor.shape)}")
    arrived = {tensor.grad_fn: torch.ones_like(tensor)}
    for node in reversed(graph_nodes(tensor)):
        grads = node(arrived[node])  # calling an AccumulateGrad node adds to its leaf's .grad
        grads = grads if isinstance(grads, tuple) else (grads,)
        for (parent, _), grad in zip(node.next_functions, grads):
            if parent is not None:  # None stands for an input that needs no gradient
                arrived[parent] = arrived[parent] + grad if parent in arrived else grad


def branching_loss(w, x):
    """A loss that uses w three times and x twice."""
    hidden = torch.tanh(w * x + w / 3)
    return (hidden * x - 3) ** 2 + hidden.exp() * w


w.grad = None
x.grad = None
our_backward(branching_loss(w, x))
our_grads = (w.grad, x.grad)
w.grad = None
x.grad = None
branching_loss(w, x).backward()
print(f"ours   {our_grads[0].item():.6f} {our_grads[1].item():.6f}")
print(f"torch  {w.grad.item():.6f} {x.grad.item():.6f}")
torch.testing.assert_close(our_grads, (w.grad, x.grad), rtol=1e-10, atol=1e-12)

# %% [markdown]
# The two agree, so we know what `backward` does. To see a graph, we draw it, with one column for each
# step away from the leaves. A node stands at the middle height of those that it depends on.


# %%
def draw_graph(tensor, names, ax):
    """Draw the graph of `tensor` on `ax`; names: what to call the leaves, a dict from name to tensor."""
    column = {}
    row = {}
    boxes = {}
    n_leaves = 0
    for node in graph_nodes(tensor):
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        column[node] = 1 + max((column[parent] for parent in parents), default=-1)
        row[node] = float(np.mean([row[parent] for parent in parents])) if parents else -n_leaves
        n_leaves += not parents
        # an AccumulateGrad node has its leaf in `variable`, the other nodes have no such attribute
        leaf = [name for name, marked in names.items() if getattr(node, "variable", None) is marked]
        text = f"leaf {leaf[0]}" if leaf else node.name().removesuffix("0").removesuffix("Backward")
        look = {"boxstyle": "round", "facecolor": "0.9" if leaf else "white", "edgecolor": "0.4"}
        label = ax.text(column[node], row[node], text, ha="center", va="center", bbox=look)
        boxes[node] = label.get_bbox_patch()
        for parent in parents:
            ends = {"xy": (column[node], row[node]), "xytext": (column[parent], row[parent])}
            arrow = {"arrowstyle": "-|>", "color": "0.6", "patchA": boxes[parent], "patchB": boxes[node]}
            ax.annotate("", **ends, arrowprops=arrow)
    ax.set(xlim=(-0.6, max(column.values()) + 0.6), ylim=(min(row.values()) - 0.6, max(row.values()) + 0.6))
    ax.axis("off")


weight = torch.randn(4, 3, requires_grad=True)
bias = torch.zeros(4, requires_grad=True)
features = torch.randn(2, 3)
classes = torch.tensor([0, 3])
layer_loss = F.cross_entropy(torch.tanh(features @ weight.T + bias), classes)  # (2, 3) @ (3, 4) -> (2, 4)
layer_nodes = [node.name() for node in graph_nodes(layer_loss)]

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
draw_graph(layer_loss, {"weight": weight, "bias": bias}, ax)
ax.set_title("The graph of a layer with tanh and its cross-entropy")
plt.show()

# %% [markdown]
# The arrows show the way forward, and `backward` goes against them. `Mm` is the matrix product and
# `Permute` the transpose in front of it; the cross-entropy became two nodes, `LogSoftmax` and `NllLoss`
# (negative log-likelihood, 3.2). The features and the labels were used as well, but no gradient was asked
# of them, so they have no node. Only what leads from a marked leaf to the loss is recorded.
#
# ## Loops and conditions
#
# What happens to an `if` or a `while`? Heron's rule for square roots replaces a guess $g$ by
# $(g + a/g)/2$ until $g^2$ is close enough to $a$. How often that is depends on $a$, while the
# derivative of $\sqrt a$ is always $1 / (2 \sqrt a)$. Can autograd know that from a loop, and how many
# nodes do you expect for a small and for a large $a$?


# %%
def heron(a):
    """The square root of a positive tensor of one element, by a loop whose length depends on a."""
    guess = a if a > 1 else torch.ones_like(a)
    while abs(guess * guess - a) > 1e-12 * a:
        guess = (guess + a / guess) / 2
    return guess


heron_nodes = {}
print(f"{'a':>8s}{'root':>12s}{'nodes':>8s}{'gradient':>12s}{'formula':>12s}")
for value in (0.25, 2.0, 100.0, 1e6):
    a = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    root = heron(a)
    root.backward()
    formula = 1 / (2 * value**0.5)
    heron_nodes[value] = len(graph_nodes(root))
    print(f"{value:8g}{root.item():12.6f}{heron_nodes[value]:8d}{a.grad.item():12.6f}{formula:12.6f}")
    torch.testing.assert_close(a.grad.item(), formula, rtol=1e-8, atol=0)

# %% [markdown]
# The gradients are right, and the larger numbers, which take more rounds, have more nodes. The graph
# does not contain the program, only the operations that were really carried out in this run, so a loop
# is written out as often as it ran, and of an `if` only the branch that was taken is there. For the next
# input the graph is made again. The condition itself has no derivative, so autograd never learns that
# another $a$ would have taken another branch.
#
# ## If the result is not a scalar
#
# `backward` starts from one number, so what should it do with a vector $y$, which has a gradient for
# each of its elements? It asks for a vector $v$ of the same shape and returns the gradient of the sum
# $\sum_i v_i y_i$. Such a $v$ is called a *cotangent*. In a network it is what arrives from the layers
# above, $v_i = \partial L / \partial y_i$, and in a test it is a vector of random numbers, which makes
# sure that every element of $y$ is looked at.

# %%
inputs = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
cotangent = torch.tensor([10.0, 0.0, 1.0], dtype=torch.float64)
squares = inputs**2
try:
    squares.backward()
    vector_error = "none"
except RuntimeError as error:
    vector_error = str(error)
print("without a cotangent:", vector_error)
squares.backward(cotangent)
print("with one:           ", inputs.grad.tolist())

# %% [markdown]
# The derivative of each square is $2x_i$, and each is multiplied by its $v_i$: $10 \cdot 2$, $0 \cdot 4$
# and $1 \cdot 6$. That is also why a loss has to be a sum or a mean over the examples. It must be a
# single number before `backward` can begin.
#
# ## Gradients add up
#
# That each `backward` adds to `.grad` can be useful. If a batch is too large for the memory, one can walk
# through it in pieces, call `backward` for each, and step once. Each piece must count with its share of
# the examples. Is the result the gradient of the whole batch? We take 500 pictures of clothes (4.1),
# thinned to 14 by 14 pixels, and a linear classifier.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

pixels = train_images[:500, ::2, ::2].flatten(1)  # (500, 14, 14) -> (500, 196)
labels = train_labels[:500]  # (500,)
classifier = (0.1 * torch.randn(10, 196, dtype=torch.float64)).requires_grad_()


def classifier_loss(chosen):
    """Mean cross-entropy of the linear classifier on the pictures in the slice `chosen`."""
    scores = pixels[chosen].double() @ classifier.T  # (n, 196) @ (196, 10) -> (n, 10)
    return F.cross_entropy(scores, labels[chosen])


# grad returns a tuple with one gradient for each tensor, here for one, and leaves .grad alone
(whole_grad,) = torch.autograd.grad(classifier_loss(slice(None)), classifier)
classifier.grad = None
for piece in (slice(0, 200), slice(200, 500)):
    share = len(labels[piece]) / len(labels)
    (share * classifier_loss(piece)).backward()
difference = (classifier.grad - whole_grad).abs().max().item()
print(f"in pieces against the whole: largest difference {difference:.1e}")
torch.testing.assert_close(classifier.grad, whole_grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# They agree up to rounding, and the price is that an ordinary training loop must empty `.grad` before
# each step, with `optimizer.zero_grad()`, because otherwise the gradients of all former steps are still
# in it.
#
# ## What is recorded, and for how long?
#
# For its derivative a node saves tensors, for example both factors of a product. `backward` frees them as
# soon as they have been used, because they can fill much of the memory in training (4.5). So a second
# `backward` through the same graph fails, unless the first was called with `retain_graph=True`.
#
# Four more expressions look as if they did similar things, and they are often mixed up: `detach()`
# returns a tensor without its history, `torch.no_grad()` (2.7) and `torch.inference_mode()` (3.6) are
# blocks in which nothing is recorded, and `eval()` tells a model that it is in use and not in training.
# We try each on a small model with dropout, a layer that sets random entries to zero during training
# (8.1). The table asks whether the result is recorded, whether `backward` can be called twice, whether
# dropout is active, and whether the result may be used later, here as a factor in a product that is
# recorded. Fill in the table before you run the cell.


# %%
def outcome(function):
    """The first sentence of the RuntimeError or TypeError that function() raises, or "no error"."""
    try:
        function()
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {str(error).split('. ')[0].split('; ')[0]}"
    return "no error"


def plain(model, x):
    return model(x)


def detached(model, x):
    return model(x).detach()


def under_no_grad(model, x):
    with torch.no_grad():
        return model(x)


def under_inference_mode(model, x):
    with torch.inference_mode():
        return model(x)


def after_eval(model, x):
    return model.eval()(x)


ways = {
    "nothing special": plain,
    "retain_graph=True": plain,
    "detach()": detached,
    "no_grad()": under_no_grad,
    "inference_mode()": under_inference_mode,
    "eval()": after_eval,
}


def behaviour(way, retain_graph):
    """Whether a result is recorded, takes two backwards, varies with dropout, and can be used later."""
    model = nn.Sequential(nn.Linear(40, 40), nn.Dropout(0.5))
    ones = torch.ones(1, 40)
    result = way(model, ones)
    total = result.square().sum()
    twice = False
    if result.requires_grad:
        total.backward(retain_graph=retain_graph)
        twice = outcome(total.backward) == "no error"
    varies = not torch.equal(way(model, ones), way(model, ones))
    factor = torch.ones(1, 40, requires_grad=True)
    later = outcome(lambda: (factor * way(model, ones)).sum().backward()) == "no error"
    return result.requires_grad, twice, varies, later


table = {}
print(f"{'':20s}{'recorded':>12s}{'backward 2x':>14s}{'dropout':>10s}{'used later':>12s}")
for name, way in ways.items():
    table[name] = behaviour(way, retain_graph=name == "retain_graph=True")
    answers = ["yes" if value else "no" for value in table[name]]
    print(f"{name:20s}{answers[0]:>12s}{answers[1]:>14s}{answers[2]:>10s}{answers[3]:>12s}")

# %% [markdown]
# Read the table row by row; the first row is what the others differ from.
#
# - `retain_graph=True` keeps what `backward` would free, and that is all it does.
# - `detach()` gives the same numbers in the same memory, cut off from the graph: for values to print or
#   to keep.
# - `no_grad()` records nothing while it lasts: for evaluation, and for the update of the weights.
# - `inference_mode()` records nothing either and saves some bookkeeping, but autograd refuses to save
#   its results for a later `backward`, so the product in the last column fails (a sum, which saves
#   nothing, would not). It is meant for a model in use.
# - `eval()` has nothing to do with recording. It changes how some layers behave, here dropout, and the
#   graph is recorded as before. So for an evaluation you want both, `model.eval()` and `no_grad()`.
#
# ## Errors that help
#
# Some mistakes raise an error, and it pays to know what the error means before one meets it in a large
# program. We make four of them on purpose, and you should say for each line what will be wrong.

# %%
u = torch.tensor(2.0, requires_grad=True)
v = torch.tensor(3.0, requires_grad=True)
errors = {
    "change a saved result in place": outcome(lambda: u.exp().add_(1).backward()),
    "cut the only path": outcome(lambda: (u.detach() * 5).backward()),
    "change a leaf in place": outcome(lambda: u.sub_(0.1)),
    "cut one of two paths": outcome(lambda: (v * u.detach()).backward()),
}
for name, message in errors.items():
    print(f"{name}:\n    {message}")
print(f"after the last one: u.grad {u.grad}, v.grad {v.grad.item():.0f}")

# %% [markdown]
# 1. The derivative of $e^u$ is $e^u$ itself, so the result is saved for `backward`. If it is changed
#    before that, the gradient would be wrong. Each tensor counts its changes, and `backward` compares the
#    counts.
# 2. `detach`, `.item()`, `.numpy()` and `torch.tensor(…)` cut the graph. Nothing leads to a leaf any
#    more.
# 3. A leaf that asks for its gradient may not be changed in place while operations are recorded. An
#    update belongs under `no_grad`, which is what every optimizer does.
# 4. Here one path is cut and another is left, so there is no error. But `u.grad` is `None`, and $u$ would
#    never learn.
#
# ## Mistakes that say nothing
#
# The last line shows the dangerous kind. We put three such mistakes into the training of a small network
# on the 500 pictures, each from the same start:
#
# - _No `zero_grad`_: every step follows the sum of all gradients so far.
# - _Hidden layer detached_: the graph is cut in the middle of the network.
# - _Weights replaced_: the optimizer was given the weights, and then the program made new ones under the
#   same names, while the optimizer goes on changing the old ones.
#
# Rank the four runs by their last loss before you look.


# %%
def fresh_weights():
    """The two weights of a small network, the same every time: (32, 196) and (10, 32)."""
    generator = torch.Generator().manual_seed(0)
    first = 0.05 * torch.randn(32, 196, generator=generator)
    second = 0.05 * torch.randn(10, 32, generator=generator)
    return [first.requires_grad_(), second.requires_grad_()]


def train(n_steps, learning_rate, zero=True, detach=False, replace=False):
    """Losses and weights of `n_steps` of gradient descent; the switches plant one mistake each."""
    weights = fresh_weights()
    optimizer = torch.optim.SGD(weights, lr=learning_rate)
    if replace:
        weights = fresh_weights()
    losses = []
    for _ in range(n_steps):
        hidden = torch.tanh(pixels @ weights[0].T)  # (500, 196) @ (196, 32) -> (500, 32)
        if detach:
            hidden = hidden.detach()
        loss = F.cross_entropy(hidden @ weights[1].T, labels)  # (500, 32) @ (32, 10) -> (500, 10)
        if zero:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, weights


mistakes = {
    "right": {},
    "no zero_grad": {"zero": False},
    "hidden layer detached": {"detach": True},
    "weights replaced": {"replace": True},
}
curves = {}
moved = {}
print(f"{'mistake':24s}{'first loss':>12s}{'last loss':>12s}   did layer 1 and layer 2 change?")
for name, switches in mistakes.items():
    curves[name], weights = train(n_steps=150, learning_rate=0.2, **switches)
    moved[name] = [not torch.equal(before, after) for before, after in zip(fresh_weights(), weights)]
    print(f"{name:24s}{curves[name][0]:12.3f}{curves[name][-1]:12.3f}   {moved[name]}")

# %% [markdown]
# The forgotten `zero_grad` has the lowest loss of all! A sum of all former gradients is a kind of
# momentum, a method that lesson 7.2 introduces on purpose, but without the friction that belongs to it.
# Here the network can learn all 500 pictures by heart (the last loss of that run is close to zero), so
# longer and longer steps in much the same direction pay, and the mistake is hard to notice. (With four
# other starts it was the same. At five times this rate it still was with four of the five starts, but
# with ours the loss without `zero_grad` ended above 1.) Would it also help in a bowl, where one has to
# come to rest? We try it on $f(p) = \frac12 p^\top A p$, whose lowest point is the origin and whose
# gradient, for a symmetric matrix $A$, is $A p$.

# %%
A = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)


def descend(n_steps, learning_rate, zero=True):
    """Distance from the lowest point of ½ pᵀAp before each of `n_steps`, starting at (1, -2)."""
    point = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    distances = []
    for _ in range(n_steps):
        distances.append(point.detach().norm().item())
        if zero:
            point.grad = None
        (0.5 * point @ A @ point).backward()  # (2,) @ (2, 2) @ (2,) -> ()
        with torch.no_grad():
            point -= learning_rate * point.grad
    return distances


arrives = descend(80, 0.1)
circles = descend(80, 0.1, zero=False)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, losses), style in zip(curves.items(), ("-", "--", "-.", ":")):
    left.plot(losses, style, label=name)
left.set(xlabel="step", ylabel="loss (nats)", ylim=(0, 3.4), title="Training on 500 pictures of clothes")
left.legend(loc="upper right")
right.plot(arrives, "-", label="right")
right.plot(circles, "--", label="no zero_grad")
right.set(xlabel="step", ylabel="distance from the lowest point", ylim=(0, 3), title="Descent in a bowl")
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# On the left the dashed curve, without `zero_grad`, runs ahead of the solid one of the correct program.
# The dotted curve, with replaced weights, is exactly level, and the detached network learns in its last
# layer only, so it stays behind. On the right the point without `zero_grad` does not come to rest and
# swings around the lowest point.
#
# How does one find such a mistake? Ask after the first step which parameters have `grad is None`, and
# compare the weights before and after: the last column of the table shows it at once.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert layer_nodes.count("torch::autograd::AccumulateGrad") == 2, "the layer's graph has two marked leaves"
assert heron_nodes[1e6] > heron_nodes[2.0], "a longer loop leaves more nodes in the graph"
assert inputs.grad.tolist() == [20, 0, 6], "a cotangent multiplies the gradient of each element"
assert table["nothing special"] == (True, False, True, True), "backward frees the graph"
assert table["retain_graph=True"] == (True, True, True, True), "retain_graph allows a second backward"
assert table["detach()"] == table["no_grad()"] == (False, False, True, True), "no_grad leaves dropout on"
assert table["inference_mode()"] == (False, False, True, False), (
    "a recorded product refuses an inference result"
)
assert table["eval()"] == (True, False, False, True), "eval turns dropout off and records as before"
assert errors["cut one of two paths"] == "no error" and u.grad is None, "half a graph raises no error"
assert curves["no zero_grad"][-1] < curves["right"][-1], (
    "on the clothes the forgotten zero has the lower loss"
)
assert curves["no zero_grad"][-1] < 0.1, "the network can learn the 500 pictures by heart"
assert curves["right"][-1] < curves["hidden layer detached"][-1], "a detached hidden layer learns less"
assert len(set(curves["weights replaced"])) == 1, "replaced weights do not learn at all"
assert moved["hidden layer detached"] == [False, True], "behind the cut nothing changes"
assert max(arrives[-20:]) < 0.01, "with zero_grad the descent in the bowl comes to rest"
assert max(circles[-20:]) > 0.5 * circles[0], "without zero_grad it keeps swinging"

# %% [markdown]
# ## Going further
#
# This part can be skipped at first. It shows what the graph costs in memory, hooks, which read gradients
# between the leaves (lesson 7.5 uses them), second derivatives, and operations with a `backward` of your
# own, one of which is an exercise of this chapter.
#
# ### What a kept loss keeps alive
#
# "Never append a loss to a list" is a common warning, because the graph hangs on the loss, so we test
# whether that is true. `saved_tensors_hooks` lets us replace each saved tensor by an object of our own,
# and a weak reference tells us whether that object still exists. We keep twenty losses in a list, in
# three ways.


# %%
class Saved:
    """Holds one tensor that autograd has saved, so that we can see when it is freed."""

    def __init__(self, tensor):
        self.tensor = tensor


def alive_with_kept_losses(call_backward, detach, n_losses=20):
    """How many saved tensors exist, and how many were saved, when all losses are kept in a list."""
    references = []

    def pack(tensor):
        saved = Saved(tensor.detach())
        references.append(weakref.ref(saved))
        return saved

    losses = []
    parameter = torch.randn(10, 10, requires_grad=True)
    for _ in range(n_losses):
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
            loss = torch.tanh(parameter @ parameter).square().mean()
        if call_backward:
            loss.backward()
        losses.append(loss.detach() if detach else loss)
        del loss
    alive = sum(reference() is not None for reference in references)
    return alive, len(references)


kept_losses = {
    "after backward": alive_with_kept_losses(call_backward=True, detach=False),
    "without backward": alive_with_kept_losses(call_backward=False, detach=False),
    "detached": alive_with_kept_losses(call_backward=False, detach=True),
}
for name, (alive, saved) in kept_losses.items():
    print(f"{name:20s}{alive:4d} of {saved} saved tensors are still in memory")

# %% [markdown]
# After `backward` nothing heavy is left, only the nodes themselves, which are small. The danger is a loss
# that never sees a `backward`, and that is the validation loss. Compute it under `no_grad`, and keep
# `loss.item()` or `loss.detach()`.
#
# ### A hook reads a gradient on its way
#
# A function that is registered with `register_hook` is called with the gradient that arrives at a tensor,
# and may replace it. Here it notes the length of the gradient behind each of six tanh layers. In which
# order do you expect the lines?


# %%
def gradient_lengths(n_layers=6):
    """Lengths of the gradient of a sum of squares with respect to each layer's output, by layer number."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(32, 64, generator=generator, requires_grad=True)
    lengths = {}

    def reader(number):
        def note(grad):
            lengths[number] = grad.norm().item()

        return note

    for number in range(1, n_layers + 1):
        layer = 0.1 * torch.randn(64, 64, generator=generator)
        hidden = torch.tanh(hidden @ layer.T)  # (32, 64) @ (64, 64) -> (32, 64)
        hidden.register_hook(reader(number))
    hidden.square().sum().backward()
    return lengths


lengths = gradient_lengths()
for number, length in lengths.items():
    print(f"layer {number}   length of the gradient {length:8.4f}")

# %% [markdown]
# The last layer comes first, because `backward` reaches it first. On its way to the first layer the
# gradient loses more than half of its length. Lesson 7.5 makes a diagnosis out of such a list.
#
# ### Second derivatives
#
# A gradient is computed by operations, and these are recorded, too, if we say `create_graph=True`. For
# the bowl from above the gradient should be $Ap$, and the second derivatives should be the entries of
# $A$.

# %%
point = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
bowl = 0.5 * point @ A @ point  # (2,) @ (2, 2) @ (2,) -> ()
(bowl_grad,) = torch.autograd.grad(bowl, point, create_graph=True)
rows = [torch.autograd.grad(slope, point, retain_graph=True)[0] for slope in bowl_grad]
hessian = torch.stack(rows)  # two (2,) -> (2, 2)
print(f"gradient {bowl_grad.tolist()}   second derivatives {hessian.tolist()}")
torch.testing.assert_close(bowl_grad, A @ point)  # (2, 2) @ (2,) -> (2,)
torch.testing.assert_close(hessian, A)

# %% [markdown]
# ### An operation with its own backward
#
# The loss of two-class problems contains the function softplus, $s(x) = \log(1 + e^x)$. Its derivative
# is the sigmoid $\sigma(x) = 1 / (1 + e^{-x})$, which is harmless everywhere. But autograd
# differentiates what we _wrote_, and for a large $x$ the exponential overflows to infinity, the
# logarithm has slope zero there, and $0 \cdot \infty$ is not a number.

# %%
far_out = torch.tensor([-200.0, 0.0, 200.0], requires_grad=True)
torch.log(1 + torch.exp(far_out)).sum().backward()
naive_grad = far_out.grad.tolist()
print("gradient of log(1 + exp(x)) at -200, 0 and 200:", naive_grad)

# %% [markdown]
# So we write both directions ourselves. Forward takes the larger of $0$ and $x$ out of the logarithm, and
# backward multiplies the gradient that arrives by the sigmoid:
#
# $$\begin{aligned}
#   s(x) &= \max(0, x) + \log(1 + e^{-|x|}) \\
#   \frac{\partial L}{\partial x} &= \frac{\partial L}{\partial s} \cdot \sigma(x)
# \end{aligned}$$
#
# `forward` computes the value, `setup_context` says what is saved for later in the context `ctx`, and
# `backward` finds it there. (Older code saves inside `forward(ctx, x)`; the separate method is what
# `torch.func` needs.)


# %%
class Softplus(torch.autograd.Function):
    """log(1 + exp(x)), element by element, finite wherever x is; use as `Softplus.apply(x)`."""

    @staticmethod
    def forward(x):
        return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))

    @staticmethod
    def setup_context(ctx, inputs, output):
        (x,) = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * torch.sigmoid(x)


far_out.grad = None
Softplus.apply(far_out).sum().backward()
print("gradient of ours at the same places:           ", far_out.grad.tolist())

# %% [markdown]
# A backward written by hand may be wrong, so `gradcheck` tests it against central differences (2.3) in
# float64, and `gradgradcheck` tests the second derivative. To see that the test can fail, we also hand
# it a `backward` that forgets the gradient that arrives. Would a look at `.sum().backward()` have found
# that fault?


# %%
class WrongSoftplus(Softplus):
    """Softplus with a mistake: its backward forgets the gradient that arrives."""

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return torch.sigmoid(x)


points = torch.linspace(-30, 30, 41, dtype=torch.float64, requires_grad=True)  # (41,): zero is among them
values = Softplus.apply(points)
torch.testing.assert_close(values, F.softplus(points, threshold=1e3), rtol=1e-10, atol=1e-12)
right_passes = torch.autograd.gradcheck(Softplus.apply, points)
second_passes = torch.autograd.gradgradcheck(Softplus.apply, points)
wrong_passes = torch.autograd.gradcheck(WrongSoftplus.apply, points, raise_exception=False)
(through_a_sum,) = torch.autograd.grad(WrongSoftplus.apply(points).sum(), points)
print(f"gradcheck: right {right_passes}, second derivative {second_passes}, wrong {wrong_passes}")
print("through a plain sum the wrong one looks right:", torch.allclose(through_a_sum, torch.sigmoid(points)))

# %% [markdown]
# Through a plain sum the gradient that arrives is one everywhere, so a forgotten factor cannot be seen.
# `gradcheck` uses other cotangents, and so do the tests of this course.

# %%
n_saved = kept_losses["after backward"][1]
assert kept_losses["after backward"] == (0, n_saved), "a loss kept after backward keeps no saved tensor alive"
assert kept_losses["without backward"] == (n_saved, n_saved), (
    "a loss kept without backward keeps all of them alive"
)
assert n_saved > 20 and kept_losses["detached"] == (0, n_saved), "a detached loss keeps none alive"
assert list(lengths) == [6, 5, 4, 3, 2, 1], "hooks are called in the order of backward"
assert lengths[1] < 0.5 * lengths[6], "on the way back the gradient loses more than half of its length"
assert naive_grad[2] != naive_grad[2], "the gradient of log(1 + exp(x)) is not a number at 200"
assert far_out.grad.tolist() == [0, 0.5, 1], "the gradient of our softplus is finite everywhere"
assert right_passes and second_passes and not wrong_passes, "gradcheck tells the right one from the wrong one"

# %% [markdown]
# ## What to remember
#
# - The graph holds the operations that led from marked leaves to the result, as they were really carried
#   out, loops and branches included.
# - `backward` multiplies by the derivative of each node, adds where paths meet, adds to `.grad`, and
#   frees what was saved.
# - For evaluation use `model.eval()` and `no_grad()`: the first changes layers, the second recording.
# - Keep `loss.item()` or `loss.detach()`. A validation loss with its graph keeps memory.
# - After a silent mistake look for `grad is None` and for weights that did not change.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `descend`, let the update of `circles` have some friction: after the update, and only if `zero` is
#    false, add `point.grad *= 0.7` under `no_grad`. Does the dashed curve of the right panel of the
#    second figure come to rest?
# 2. In "Errors that help", replace `.add_(1)` by `.mul_(1)`, which changes no number. Does `backward`
#    still complain?
# 3. From a blank cell: write `class Cube(torch.autograd.Function)` for $x^3$, with `setup_context`, and
#    let `gradcheck` judge it.
#
# ## Sources
#
# - A. Paszke et al., "Automatic differentiation in PyTorch", NIPS Autodiff Workshop 2017: recording as
#   the program runs, versions. Reproduced: "a longer loop leaves more nodes in the graph".
# - A. G. Baydin et al., "Automatic differentiation in machine learning: a survey", _JMLR_ 18, 2018,
#   section 3.2: reverse accumulation. Reproduced: test_our_backward_matches_backward.
# - PyTorch documentation, _Autograd mechanics_ and _Extending torch.autograd_.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the pictures.
