# %% [markdown]
# # 4.2 The computational graph: a recording you can play backward
#
# A cook who notes every step while cooking can walk back through the notes when the soup is too salty:
# which step added salt, and how much? PyTorch takes such notes. Whatever you compute from a marked tensor
# is recorded, and `backward()` plays the recording in reverse: that is *autograd*. Most surprises with
# gradients come from not knowing what is on the tape.
#
# **You will build** a player for PyTorch's own recording, a picture of it, and an operation with a
# backward of its own; then you make the four classic mistakes on purpose. **You need** gradients (2.4),
# the training loop (3.3) and tensors (4.1). How such a recorder is made is the subject of lessons 6.3 and
# 6.6.

# %%
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# A scale shows $w \cdot x$, and it should show 3. The error is $L = (wx - 3)^2$. At $w = 2$, $x = -1$ the
# product is $z = -2$ and $L = 25$. Backward: $\partial L / \partial z = 2(z - 3) = -10$, and the product
# hands each factor the other one: $\partial L / \partial w = -10 \cdot x = 10$,
# $\partial L / \partial x = -10 \cdot w = -20$.

# %%
w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
x = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
z = w * x
loss = (z - 3) ** 2
loss.backward()
print(f"loss {loss.item():.0f}   dL/dw {w.grad.item():.0f}   dL/dx {x.grad.item():.0f}")
assert (loss, w.grad, x.grad) == (25, 10, -20)

# %% [markdown]
# ## Leaves, and what grows from them
#
# A tensor that you made is a *leaf*; a tensor that was computed carries a note on how, its `grad_fn`.
# Only leaves that asked for it with `requires_grad=True` keep a gradient in `.grad`. What lies between
# passes its gradient on and forgets it, unless you say `retain_grad()` beforehand.

# %%
constant = torch.tensor(3.0, dtype=torch.float64)
z = w * x
z.retain_grad()
loss = (z - constant) ** 2
print(f"{'tensor':20s}{'is_leaf':>12s}{'requires_grad':>16s}   grad_fn")
for name, tensor in {"w": w, "constant": constant, "z": z, "loss": loss}.items():
    note = type(tensor.grad_fn).__name__ if tensor.grad_fn else "none"
    print(f"{name:20s}{tensor.is_leaf!s:>12s}{tensor.requires_grad!s:>16s}   {note}")
loss.backward()
assert z.grad == -10 and not z.is_leaf and constant.is_leaf and constant.grad is None

# %% [markdown]
# ## Walking the recording
#
# Each note names the notes it depends on in `next_functions`. Following them from the loss reaches
# everything that was recorded. The walk ends at `AccumulateGrad` notes, one a leaf: there the gradient is
# stored. A constant has no note.


# %%
def graph_nodes(tensor):
    """The `grad_fn` notes that `tensor` was computed through, each after those it depends on."""
    nodes = []

    def visit(node):
        if node is not None and node not in nodes:
            for parent, _ in node.next_functions:
                visit(parent)
            nodes.append(node)

    visit(tensor.grad_fn)
    return nodes


loss = (w * x - constant) ** 2
print(" -> ".join(node.name() for node in graph_nodes(loss)))
assert [node.name() for node in graph_nodes(loss)][-3:] == ["MulBackward0", "SubBackward0", "PowBackward0"]

# %% [markdown]
# ## Playing it backward ourselves
#
# A note can be called: given the slope of the loss along its output, it returns the slope along each of
# its inputs. That is the chain rule for one step. So `backward` is short: start with one, go through the
# notes in reverse, *add* what arrives at the same place, and hand it on. The last notes add to `.grad`.


# %%
def play_backward(tensor):
    """What `tensor.backward()` does, for a tensor of one element whose notes each have one output.

    Raises ValueError where the tensor has more elements: its slope along itself would not be one number.
    """
    if tensor.numel() != 1:
        raise ValueError(
            f"only a tensor of one element can be played backward, got shape {tuple(tensor.shape)}"
        )
    received = {tensor.grad_fn: torch.ones_like(tensor)}
    for node in reversed(graph_nodes(tensor)):
        slopes = node(received[node])  # calling an AccumulateGrad note adds to its leaf's .grad
        slopes = slopes if isinstance(slopes, tuple) else (slopes,)
        for (parent, _), slope in zip(node.next_functions, slopes):
            if parent is not None:
                received[parent] = received[parent] + slope if parent in received else slope


w.grad = x.grad = None
hidden = torch.tanh(w * x + w / 3)
loss = (hidden * x - constant) ** 2 + hidden.exp() * w  # w is used three times, x twice
play_backward(loss)
ours, w.grad, x.grad = (w.grad, x.grad), None, None
loss.backward()
print(f"our player {[round(grad.item(), 6) for grad in ours]}")
torch.testing.assert_close(ours, (w.grad, x.grad), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## A picture of it
#
# One column for each step away from the leaves. A node stands level with the middle of those it depends
# on.


# %%
def draw_graph(tensor, names, ax):
    """Draw the notes of `tensor` on `ax`; names: what to call the leaves, a dict from name to tensor."""
    column, row, boxes, n_leaves = {}, {}, {}, 0
    for node in graph_nodes(tensor):
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        column[node] = 1 + max((column[parent] for parent in parents), default=-1)
        row[node] = float(np.mean([row[parent] for parent in parents])) if parents else -n_leaves
        n_leaves += not parents
        leaf = [name for name, leaf in names.items() if getattr(node, "variable", None) is leaf]
        text = f"leaf {leaf[0]}" if leaf else node.name().removesuffix("0").removesuffix("Backward")
        look = {"boxstyle": "round", "facecolor": "0.9" if leaf else "white", "edgecolor": "0.4"}
        place = {"ha": "center", "va": "center", "bbox": look}
        boxes[node] = ax.text(column[node], row[node], text, **place).get_bbox_patch()
        for parent in parents:
            ends = {"xy": (column[node], row[node]), "xytext": (column[parent], row[parent])}
            arrow = {"arrowstyle": "-|>", "color": "0.6", "patchA": boxes[parent], "patchB": boxes[node]}
            ax.annotate("", **ends, arrowprops=arrow)
    ax.set(xlim=(-0.6, max(column.values()) + 0.6), ylim=(min(row.values()) - 0.6, max(row.values()) + 0.6))
    ax.axis("off")


# %% [markdown]
# A layer with a tanh and its loss, as autograd sees it. The input and the target are constants:
# they are used, and nothing is recorded for them. `Mm` is the matrix product, `Permute` the transpose in
# front of it; the cross-entropy is two notes, `LogSoftmax` and `NllLoss`.

# %%
weight = torch.randn(4, 3, requires_grad=True)
bias = torch.zeros(4, requires_grad=True)
features, y = torch.randn(2, 3), torch.tensor([0, 3])
loss = F.cross_entropy(torch.tanh(features @ weight.T + bias), y)  # (2, 3) @ (3, 4) -> (2, 4)
names = [node.name() for node in graph_nodes(loss)]
print(names)
assert sum(name.endswith("AccumulateGrad") for name in names) == 2

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
draw_graph(loss, {"weight": weight, "bias": bias}, ax)
ax.set_title("Two leaves want a gradient: the tape holds only what leads from them to the loss")
plt.show()

# %% [markdown]
# ## Does it know our formulas?
#
# A bowl like that of lesson 2.4, $f(x) = \frac12 x^\top A x$, has the gradient $Ax$ and the curvatures in
# $A$ itself. Autograd must find both. A second derivative is the derivative of a recorded gradient:
# `create_graph=True` puts the first backward pass on tape as well. `autograd.grad` returns gradients
# instead of storing them.

# %%
A = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
point = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
f = 0.5 * point @ A @ point  # (2,) @ (2, 2) @ (2,) -> ()
(gradient,) = torch.autograd.grad(f, point, create_graph=True)
rows = [torch.autograd.grad(slope, point, retain_graph=True)[0] for slope in gradient]
hessian = torch.stack(rows)  # (2, 2)
print(f"gradient {gradient.tolist()}   second derivatives {hessian.tolist()}")
torch.testing.assert_close(gradient, A @ point)  # (2, 2) @ (2,) -> (2,)
torch.testing.assert_close(hessian, A)

# %% [markdown]
# Lesson 3.3 derived the gradient of softmax regression by hand. With probabilities $P$ and one-hot
# targets $Y$, one row an example,
#
# $$\frac{\partial L}{\partial W} = \frac1n (P - Y)^\top X, \qquad
#   \frac{\partial L}{\partial b} = \frac1n \sum_i (P_i - Y_i) .$$
#
# The same on pictures of clothes, thinned to every second pixel.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

x = train_images[:500, ::2, ::2].flatten(1).double()  # (500, 14, 14) -> (500, 196)
y = train_labels[:500]  # (500,)
weight = torch.randn(10, 196, dtype=torch.float64).mul(0.1).requires_grad_()
bias = torch.zeros(10, dtype=torch.float64, requires_grad=True)
loss = F.cross_entropy(x @ weight.T + bias, y)  # (500, 196) @ (196, 10) -> (500, 10)
loss.backward()

error = torch.softmax(x @ weight.T + bias, dim=1) - F.one_hot(y, 10)  # (500, 196) @ (196, 10) -> (500, 10)
formula = error.T @ x / len(x)  # (10, 500) @ (500, 196) -> (10, 196)
torch.testing.assert_close(weight.grad, formula, rtol=1e-10, atol=1e-12)
torch.testing.assert_close(bias.grad, error.mean(dim=0), rtol=1e-10, atol=1e-12)
print(f"loss {loss.item():.3f}   norm of its gradient {weight.grad.norm():.3f}")

# %% [markdown]
# ## Gradients add up until you say stop
#
# `backward` adds to `.grad`, it does not replace it. That is wanted inside one pass, where a tensor is
# used twice, and useful across passes: a batch too large for memory can be walked in pieces. Each piece
# counts with its share of the examples, and the sum is the gradient of the whole.

# %%
whole = weight.grad.clone()
weight.grad = None
for piece in (slice(0, 200), slice(200, 500)):
    share = len(y[piece]) / len(y)
    scores = x[piece] @ weight.T + bias  # (n, 196) @ (196, 10) -> (n, 10)
    (share * F.cross_entropy(scores, y[piece])).backward()
largest = (weight.grad - whole).abs().max().item()
print(f"pieces against the whole: largest difference {largest:.1e}")
torch.testing.assert_close(weight.grad, whole, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Off the record
#
# Under `no_grad` nothing is recorded: for evaluation, and for the update itself. `detach` gives the same
# numbers, the same memory, with the history cut off: for values to print or keep. A list of losses that
# are not detached keeps every tape of the whole training in memory.

# %%
with torch.no_grad():
    quiet = x @ weight.T  # (500, 196) @ (196, 10) -> (500, 10)
recorded = x @ weight.T  # (500, 196) @ (196, 10) -> (500, 10)
cut = recorded.detach()
print(f"no_grad: {quiet.grad_fn}   recorded: {recorded.grad_fn.name()}   detached: {cut.grad_fn}")
assert not quiet.requires_grad and not cut.requires_grad and recorded.requires_grad
assert cut.data_ptr() == recorded.data_ptr()

# %% [markdown]
# ## A hook: reading a gradient as it passes
#
# A function registered with `register_hook` sees the gradient that arrives at a tensor between the
# leaves, and may replace it. Here it reads: six tanh layers, and how much gradient reaches each. Lesson
# 7.5 makes a diagnosis of this.

# %%
layers = [torch.randn(64, 64, dtype=torch.float64) * 0.1 for _ in range(6)]
hidden, norms = torch.randn(32, 64, dtype=torch.float64, requires_grad=True), {}
for depth, layer in enumerate(layers, start=1):
    hidden = torch.tanh(hidden @ layer.T)  # (32, 64) @ (64, 64) -> (32, 64)
    hidden.register_hook(lambda grad, depth=depth: norms.update({depth: grad.norm().item()}))
hidden.square().sum().backward()
for depth, norm in norms.items():
    print(f"layer {depth}   norm of the gradient {norm:.4f}")
assert list(norms) == [6, 5, 4, 3, 2, 1]  # in the order of playing back
assert norms[1] < norms[6]

# %% [markdown]
# ## An operation with its own backward
#
# The loss of two-class problems contains $s(x) = \log(1 + e^x)$. Its slope is the sigmoid
# $\sigma(x) = 1 / (1 + e^{-x})$, harmless everywhere. But autograd differentiates what we *wrote*: for a
# large $x$ the exponential overflows to infinity, whose logarithm has slope zero, and the recorded product
# of slopes is zero times infinity: not a number.

# %%
x = torch.tensor([-200.0, -1.0, 0.0, 1.0, 200.0], dtype=torch.float32, requires_grad=True)
naive = torch.log(1 + torch.exp(x))
naive.sum().backward()
print("value", naive.tolist(), "\nslope", x.grad.tolist())
assert naive[-1] == torch.inf and x.grad[-1].isnan()

# %% [markdown]
# So we say both directions ourselves. Forward takes the larger of $0$ and $x$ out,
# $s(x) = \max(0, x) + \log(1 + e^{-|x|})$; backward receives the loss's slope along the output and
# multiplies:
#
# $$\frac{\partial L}{\partial x} = \frac{\partial L}{\partial s}\, \sigma(x) .$$
#
# `ctx` is the note: what forward saves there, backward finds.


# %%
class Softplus(torch.autograd.Function):
    """log(1 + exp(x)), element by element, finite wherever x is; use as `Softplus.apply(x)`."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * torch.sigmoid(x)


x.grad = None
Softplus.apply(x).sum().backward()
print("slope", x.grad.tolist())
assert torch.isfinite(x.grad).all() and x.grad[-1] == 1

# %% [markdown]
# A backward written by hand is a claim. `gradcheck` tests it with central differences in float64, and
# `gradgradcheck` tests the second derivative: that works since our backward is itself made of recorded
# operations. The library's `softplus` is the examiner for values; its `threshold`, beyond which it
# returns $x$ itself, is set out of reach.

# %%
points = torch.linspace(-30, 30, 41, dtype=torch.float64, requires_grad=True)  # (41,): zero is among them
assert torch.autograd.gradcheck(Softplus.apply, points)
assert torch.autograd.gradgradcheck(Softplus.apply, points)
torch.testing.assert_close(Softplus.apply(points), F.softplus(points, threshold=1e3), rtol=1e-10, atol=1e-12)


class WrongSoftplus(Softplus):
    """Softplus with a mistake in its backward: it forgets the slope that arrives."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return torch.sigmoid(x)


wrong = points.detach().requires_grad_()
WrongSoftplus.apply(wrong).sum().backward()
torch.testing.assert_close(wrong.grad, torch.sigmoid(points))  # through a plain sum it looks right
assert not torch.autograd.gradcheck(WrongSoftplus.apply, wrong, raise_exception=False)
print("a plain sum hides the forgotten factor, because the slope that arrives is one; gradcheck finds it")

# %% [markdown]
# ## Four mistakes, made on purpose
#
# Some mistakes raise an error that tells you what to do, if you can read it. Others are silent, and only
# the numbers look odd. We make each on purpose. `complaint` runs a function and returns the first
# sentence of its error, or says that there was none.


# %%
def complaint(function):
    """The first sentence of the RuntimeError or TypeError that function() raises, or "silence"."""
    try:
        function()
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {str(error).split('. ')[0].split('; ')[0]}"
    return "silence"


# %% [markdown]
# **1. In place on a needed tensor.** The slope of $e^x$ is $e^x$ itself, so the output is saved for the
# way back. If it is changed in between, the recording is spoiled. Every tensor counts its changes, its
# *version*, and backward compares. Going through `.data` hides the change from the counter: no error, a
# wrong gradient.

# %%
x = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
in_place = complaint(lambda: x.exp().add_(1).sum().backward())
print("out.add_(1)      ", in_place)
assert "modified by an inplace operation" in in_place
assert x.grad is None

out = x.exp()
out.data.add_(1)
out.sum().backward()
print("out.data.add_(1)  silence, slope", x.grad.tolist(), "instead of", x.exp().tolist())
torch.testing.assert_close(x.grad, x.detach().exp() + 1)  # the slope of something we did not compute

# %% [markdown]
# **2. A forgotten zero.** Gradients of all earlier steps stay in `.grad`, and every step follows their
# sum. Nothing complains. What it does to training stands in the figure below.

# %%
w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
seen = []
for _ in range(3):
    (w * w).backward()
    seen.append(w.grad.item())
print(f"the slope of w² at w = 1, three times without a reset: {seen}")
assert seen == [2, 4, 6]

# %% [markdown]
# **3. A detached branch.** `.detach()`, `.item()`, `.numpy()` and `torch.tensor(…)` cut the tape. If that
# was the only way to the leaves, backward complains. If another way is left, it is silent, and part of
# the model never learns: its `.grad` stays `None`.

# %%
w, v = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (2.0, 3.0))
only_way = complaint(lambda: (w.detach() * 5).backward())
print("only way cut:   ", only_way)
assert "does not require grad" in only_way

one_of_two = complaint(lambda: (v * w.detach()).backward())
print("another way left:", one_of_two, " w.grad", w.grad, " v.grad", v.grad.item())
assert one_of_two == "silence" and w.grad is None and v.grad == 2

# %% [markdown]
# **4. A leaf overwritten.** `w = w - 0.1 * w.grad` binds the name to a *computed* tensor: no longer a
# leaf, so its `.grad` stays empty and the second step fails. Changing a leaf in place while the tape runs
# is refused. The update belongs under `no_grad`, in place: `w -= …`, and that is what optimizers do.


# %%
w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
changed = complaint(lambda: w.sub_(0.1))
(w * w).backward()
w = w - 0.1 * w.grad  # the name now belongs to a computed tensor
(w * w).backward()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    overwritten = complaint(lambda: w - 0.1 * w.grad)
print("overwritten:", overwritten)
print("warned:     ", str(caught[0].message).split(". ")[0])
print("in place:   ", changed)
assert "NoneType" in overwritten and "not a leaf" in str(caught[0].message)
assert "leaf Variable that requires grad" in changed

w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
with torch.no_grad():
    w -= 0.1
assert w.is_leaf and w.requires_grad

# %% [markdown]
# ## What silence looks like
#
# Each of the four has a silent form. The fourth's is still to come: an optimizer keeps the tensors it was
# given, so replace a weight afterwards, and the optimizer goes on moving the old one. A small network on
# the clothes, four times from the same start: once right, and once each with mistakes two, three and four.

# %%
x, y = train_images[:500, ::2, ::2].flatten(1), train_labels[:500]  # (500, 14, 14) -> (500, 196), and (500,)


def fresh_weights():
    """The two weights of a small network, the same every time: (32, 196) and (10, 32)."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator).mul(0.05).requires_grad_() for shape in ((32, 196), (10, 32))
    ]


def train(n_steps, learning_rate, zero=True, detach=False, overwrite=False):
    """Losses and weights of `n_steps` of gradient descent; the switches plant one mistake each."""
    weights = fresh_weights()
    optimizer = torch.optim.SGD(weights, lr=learning_rate)
    weights = fresh_weights() if overwrite else weights
    losses = []
    for _ in range(n_steps):
        hidden = torch.tanh(x @ weights[0].T)  # (500, 196) @ (196, 32) -> (500, 32)
        hidden = hidden.detach() if detach else hidden
        loss = F.cross_entropy(hidden @ weights[1].T, y)  # (500, 32) @ (32, 10) -> (500, 10)
        if zero:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, weights


# %%
cases = {
    "right": {},
    "no zero_grad": {"zero": False},
    "hidden layer detached": {"detach": True},
    "weights replaced": {"overwrite": True},
}
curves, first_weights = {}, fresh_weights()
print(f"{'case':24s}{'first loss':>12s}{'last loss':>12s}   moved: layer 1, layer 2")
for name, switches in cases.items():
    curves[name], weights = train(n_steps=150, learning_rate=0.2, **switches)
    moved = [not torch.equal(before, after) for before, after in zip(first_weights, weights, strict=True)]
    print(f"{name:24s}{curves[name][0]:12.3f}{curves[name][-1]:12.3f}   {moved}")
    assert moved == [name in ("right", "no zero_grad"), name != "weights replaced"]

# %% [markdown]
# The forgotten zero wins! Following the sum of all past gradients is *momentum* without friction (lesson
# 7.2). Where classes can be told apart without a mistake, the loss falls for ever in one direction, and
# the sum only gathers speed. That makes this mistake so hard to notice. In a bowl it shows: what never
# slows down never comes to rest. The bowl $A$ from above, from the same point:


# %%
def descend(n_steps, learning_rate, zero=True):
    """Distance from the bottom of the bowl ½ xᵀAx before each of `n_steps`, starting at (1, -2)."""
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


arrives, circles = descend(80, 0.1), descend(80, 0.1, zero=False)
print(f"distance from the bottom, last 20 steps: {max(arrives[-20:]):.4f}, {max(circles[-20:]):.2f} without")
assert max(arrives[-20:]) < 0.01 and max(circles[-20:]) > 0.5 * circles[0]
assert len(set(curves["weights replaced"])) == 1
assert curves["no zero_grad"][-1] < 0.5 * curves["right"][-1] < 0.4 * curves["hidden layer detached"][-1]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, losses), style in zip(curves.items(), ("-", "--", "-.", ":")):
    left.plot(losses, style, label=name)
left.set(
    xlabel="step", ylabel="loss (nats)", title="Clothes: one silent mistake looks like a gift", ylim=(0, 3.4)
)
left.legend(loc="upper right")
right.plot(arrives, "-", label="right")
right.plot(circles, "--", label="no zero_grad")
right.set(
    xlabel="step",
    ylabel="distance from the bottom",
    title="A bowl: the same mistake never rests",
    ylim=(0, 3),
)
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# ## What to remember
#
# - The tape holds every operation that leads from a leaf with `requires_grad` to the result, and nothing
#   else.
# - `backward` hands slopes from note to note, adds where ways meet, and *adds* to `.grad`: reset it each
#   step.
# - Off the record: `no_grad` for evaluation and updates, `detach` for values to keep.
# - A custom backward is a claim: `gradcheck` in float64, with a slope other than one arriving.
# - After a silent mistake look for `.grad is None`, weights that did not move, and names bound to new
#   tensors.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Call `loss.backward()` twice on the same recording. Read the error. Which argument allows it, and
#    what is in `.grad` then?
# 2. Let the hook return `grad * 2` at layer 3. Which of the printed norms change?
# 3. Replace `out.add_(1)` by `out.mul_(1)`. The numbers do not change. Does backward still complain, and
#    why?
#
# ## Sources
#
# - A. Paszke et al., "Automatic differentiation in PyTorch", NIPS Autodiff Workshop 2017: the tape,
#   versions.
# - A. G. Baydin et al., "Automatic differentiation in machine learning: a survey", *JMLR* 18, 2018,
#   section 3.2.
# - PyTorch documentation, *Autograd mechanics* and *Extending torch.autograd*.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the pictures.
