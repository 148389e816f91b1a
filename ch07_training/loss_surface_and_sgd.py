# %% [markdown]
# # 7.1 The loss surface and SGD: how long a step, how large a batch
#
# A network is about to learn to read handwritten digits. Before the first step, two numbers have to be
# chosen: how far to go along the gradient (the learning rate), and how many images to look at before each
# step (the batch size). Both are often copied from somewhere else. Can they be understood from the shape
# of the loss?
#
# The loss as a function of all weights is called the *loss surface*. With two weights it is a landscape
# over a map (2.4). With a million weights nobody can draw it, but it can be measured: how steep it is,
# how strongly it is curved in each direction, and how noisy our gradients are. Anyone who trains a large
# model makes these two choices first, and when a run fails, the learning rate is among the first
# suspects.
#
# **You will build** a measuring device for the curvature of any network, test with it how large a learning
# rate may be, and count what a larger batch costs and saves. **You need** gradient descent (2.5),
# curvature and eigenvalues (2.6), a network in PyTorch (4.3) and autograd (6.6). **It takes** about 30
# seconds.

# %%
import time
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
# The simplest loss surface is a parabola with its bottom at zero. Its slope is $\lambda w$, and its
# curvature, the change of the slope, is the same number $\lambda$ everywhere (2.6). One step of gradient
# descent with the learning rate $\eta$ multiplies the distance to the bottom by a fixed factor:
#
# $$\begin{aligned}
#   L(w) &= \tfrac\lambda2 w^2 \\
#   w_{\text{new}} &= w - \eta \lambda w = (1 - \eta\lambda)\, w
# \end{aligned}$$
#
# So everything depends on the size of $1 - \eta\lambda$. Take $\lambda = 4$ and start at $w = 1$:
#
# $$\begin{aligned}
#   \eta = 0.1: \quad & w_{\text{new}} = (1 - 0.4) \cdot 1 = 0.6 & & \text{closer} \\
#   \eta = 0.4: \quad & w_{\text{new}} = (1 - 1.6) \cdot 1 = -0.6 & & \text{beyond the bottom, but closer} \\
#   \eta = 0.6: \quad & w_{\text{new}} = (1 - 2.4) \cdot 1 = -1.4 & & \text{beyond it, and farther away}
# \end{aligned}$$
#
# The distance shrinks as long as $|1 - \eta\lambda| < 1$, which means $0 < \eta < 2/\lambda$. If the
# curvature is negative, as on the top of a hill, the factor is $1 + \eta|\lambda|$, and the distance grows
# with any learning rate.

# %%
curvature_on_paper = 4.0
for learning_rate in (0.1, 0.4, 0.6):
    position = 1.0
    position = position - learning_rate * curvature_on_paper * position
    print(f"rate {learning_rate}   from 1 to {position:.1f}")

# %% [markdown]
# ## A narrow valley
#
# Now take two directions with different curvatures, one flat ($1$) and one steep ($\kappa = 20$): $L(u,
# v) = \frac12 (u^2 + \kappa v^2)$. Since there is only one learning rate for both, which of the two
# directions limits it, and what does that mean for the other one? We try three rates: half of the limit
# $2/\kappa$, one slightly beyond it, and the rate at which both directions shrink by the same factor. For
# that one, $1 - \eta = -(1 - \eta\kappa)$, which gives $\eta = 2 / (1 + \kappa)$.


# %%
def descend(gradient, start, learning_rate, n_steps):
    """The path of gradient descent (n_steps + 1, n); `gradient`: a function from a point (n,) to (n,)."""
    path = [np.asarray(start, dtype=np.float64)]
    for _ in range(n_steps):
        path.append(path[-1] - learning_rate * gradient(path[-1]))
    return np.array(path)


kappa = 20.0
curvatures = np.array([1.0, kappa])
rates = {"half of the limit": 1 / kappa, "both alike": 2 / (1 + kappa), "beyond the limit": 2.05 / kappa}
paths = {}
for name, rate in rates.items():
    paths[name] = descend(lambda point: curvatures * point, (10.0, 1.0), rate, 25)

fig, axes = plt.subplots(1, 3, figsize=(14, 2.7), layout="constrained", sharey=True)
us, vs = np.meshgrid(np.linspace(-11, 11, 100), np.linspace(-4, 4, 100))
for ax, (name, path) in zip(axes, paths.items()):
    ax.contour(us, vs, np.sqrt(us**2 + kappa * vs**2), levels=12, colors="0.8", linewidths=0.8)
    ax.plot(path[:, 0], path[:, 1], "o-", color="C1", markersize=3, linewidth=1)
    ax.plot(0, 0, "k+", markersize=12)
    ax.set(xlabel="u (curvature 1)", aspect="equal", title=f"{name}: rate {rates[name]:.3f}")
axes[0].set_ylabel(f"v (curvature {kappa:.0f})")
fig.suptitle("25 steps in a narrow valley")
plt.show()

# %% [markdown]
# On the left the walk drops to the floor of the valley at once, and then creeps along it: in the flat
# direction each step removes only a twentieth of the distance. In the middle it jumps from side to side
# and gets on twice as fast. On the right the jumps grow, although the flat direction is doing well. So the
# steepest direction sets the limit, and the flattest decides how long it takes.
#
# The ratio of the largest to the smallest curvature is the condition number (2.6). How many steps are
# needed until the distance is a thousandth of what it was, if each valley gets the rate $2/(1 + \kappa)$?
# We count them.


# %%
def count_steps(ratio, share=1e-3):
    """Steps of gradient descent from (1, 1) until the distance is `share` of what it was; both alike.

    Raises ValueError if ratio or share is not above zero.
    """
    if ratio <= 0 or share <= 0:
        raise ValueError(f"the walk never arrives with the ratio {ratio} and the share {share}")
    curvatures_here = np.array([1.0, ratio])
    point = np.ones(2)
    n_steps = 0
    while np.linalg.norm(point) > share * np.sqrt(2):
        point = point - 2 / (1 + ratio) * curvatures_here * point
        n_steps += 1
    return n_steps


steps_needed = {}
print(f"{'condition number':20s}{'steps':>12s}")
for ratio in (1, 10, 100, 1000):
    steps_needed[ratio] = count_steps(ratio)
    print(f"{ratio:<20d}{steps_needed[ratio]:12d}")

# %% [markdown]
# Ten times the condition number takes ten times as many steps. That is the price of a narrow valley, and
# the optimizers of lesson 7.2 exist to lower it.
#
# ## The curvatures of a network
#
# Does any of this hold for a network? We take a small one, with $\tanh$ units, because at the kinks of
# ReLU the curvature is not defined, and 400 images of digits. All its 610 weights stand in one vector
# `w`. To the loss we add a small *penalty* on the squared length of `w` (a subject of lesson 8.2); what
# it is for, we shall see in a moment.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

x = torch.from_numpy(images[:400])  # (400, 64) float64
y = torch.from_numpy(labels[:400])  # (400,)
shapes = [(8, 64), (8,), (10, 8), (10,)]
sizes = [int(np.prod(shape)) for shape in shapes]


def scores(w, x, activation=torch.tanh):
    """The network's outputs (B, 10) for images x (B, 64) and all weights in one vector w (P,)."""
    parts = [part.reshape(shape) for part, shape in zip(w.split(sizes), shapes)]
    weight1, bias1, weight2, bias2 = parts
    hidden = activation(x @ weight1.T + bias1)  # (B, 64) @ (64, 8) -> (B, 8)
    return hidden @ weight2.T + bias2  # (B, 8) @ (8, 10) -> (B, 10)


def bare_loss(w):
    """Cross-entropy on all of x and y: a number."""
    return F.cross_entropy(scores(w, x), y)


def penalised_loss(w, strength=1e-2):
    """Cross-entropy on all of x and y, and strength/2 · |w|²: a number."""
    return bare_loss(w) + strength / 2 * (w @ w)  # (P,) @ (P,) -> ()


# %% [markdown]
# To measure curvature at a lowest point we have to stand at one, and plain gradient descent would take
# long to arrive. So we take L-BFGS, an optimizer that estimates the curvature on its way. In each step it
# needs the loss and the gradient at several points. For that we give it a function, usually called the
# `closure`, which computes both.

# %%
torch.manual_seed(0)
walker = (0.2 * torch.randn(sum(sizes), dtype=torch.float64)).requires_grad_()
solver = torch.optim.LBFGS(
    [walker],
    max_iter=5000,
    history_size=30,
    tolerance_grad=1e-8,
    tolerance_change=0,
    line_search_fn="strong_wolfe",
)


def closure():
    solver.zero_grad()
    loss = penalised_loss(walker)
    loss.backward()
    return loss


solver.step(closure)
slope_left = walker.grad.norm().item()
bottom = walker.detach()  # (P,)
print(f"{len(bottom)} weights, loss {penalised_loss(bottom):.4f}, length of the gradient {slope_left:.0e}")

# %% [markdown]
# The curvatures in all directions are the eigenvalues of the Hessian, the matrix of second derivatives
# (2.6). It has 610 rows here and can be computed as a whole. With a million weights it would have
# $10^{12}$ entries, and nobody computes it. But the product of $H$ with one vector $v$ can be had for the
# price of about two gradients, because $Hv$ is how the gradient $g$ changes along $v$. Either we move a
# little and subtract, or we let autograd differentiate the number $g \cdot v$, which is exact:
#
# $$H v = \lim_{h \to 0} \frac{g(w + h v) - g(w - h v)}{2 h}
#       = \nabla_w \big( g(w) \cdot v \big)$$


# %%
def gradient_at(f, w):
    """The gradient (P,) of the scalar function f at w (P,)."""
    w = w.detach().requires_grad_()
    return torch.autograd.grad(f(w), w)[0]


def nudged_product(f, w, v, h=1e-5):
    """The Hessian of f at w times v (P,), from two gradients: exact to about h²."""
    return (gradient_at(f, w + h * v) - gradient_at(f, w - h * v)) / (2 * h)


def hessian_vector_product(f, w, v):
    """The Hessian of f at w times v (P,), exactly, by differentiating the gradient (Pearlmutter 1994)."""
    w = w.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(w), w, create_graph=True)
    return torch.autograd.grad(gradient @ v, w)[0]  # (P,) @ (P,) -> (), its gradient (P,)


def hessian(f, w):
    """The whole Hessian (P, P) of f at w (P,)."""
    return torch.func.jacrev(torch.func.grad(f))(w)


# %% [markdown]
# If we multiply a random vector by $H$ again and again, its part along the direction of the largest
# curvature grows faster than all its other parts. This is called *power iteration*. When only that part
# is left, $Hv = \lambda v$. So we stop when $Hv$ and $\lambda v$ are nearly equal.


# %%
def power_iteration(product, v, tolerance=1e-6, n_steps=5000):
    """The eigenvalue of largest size and its unit eigenvector (P,).

    product: a function v (P,) -> H v (P,) for a symmetric H; v: any start but zero. Raises ValueError if
    n_steps are too few.
    """
    v = v / v.norm()
    for _ in range(n_steps):
        h_v = product(v)  # (P,): H v
        eigenvalue = v @ h_v  # (P,) @ (P,) -> ()
        if (h_v - eigenvalue * v).norm() < tolerance * eigenvalue.abs():
            return eigenvalue.item(), v
        v = h_v / h_v.norm()
    raise ValueError(f"no direction within {tolerance:g} after {n_steps} steps")


start_vector = torch.randn(len(bottom), dtype=torch.float64)
steepest, direction = power_iteration(
    lambda v: hessian_vector_product(penalised_loss, bottom, v), start_vector
)
eigenvalues = {}
for name, f in (("with penalty", penalised_loss), ("without", bare_loss)):
    eigenvalues[name] = torch.linalg.eigvalsh(hessian(f, bottom))  # (P,) from small to large
    smallest, largest = eigenvalues[name][[0, -1]].tolist()
    n_negative = (eigenvalues[name] < -1e-6).sum().item()
    print(f"{name:16s}curvature {smallest:8.4f} to {largest:.4f}, below zero in {n_negative} directions")
print(f"by power iteration      largest {steepest:.4f}")
exact = hessian_vector_product(penalised_loss, bottom, direction)
torch.testing.assert_close(exact, nudged_product(penalised_loss, bottom, direction), rtol=1e-6, atol=1e-8)
assert abs(steepest - eigenvalues["with penalty"][-1]) < 1e-6

# %% [markdown]
# With the penalty all curvatures are positive, and this point is the bottom of a bowl. The penalty adds
# its strength of $0.01$ to every curvature, so we can see what the bare loss is like at the same point:
# most directions are almost flat, and some bend _down_. So without the penalty this point is not the
# bottom of a bowl, and the loss of this network can be lowered further from here. In practice one does
# not wait for the bottom of such a loss, and lesson 8.5 shows another reason to stop earlier.
#
# ## Does the limit hold?
#
# The paper says: start a little off along the steepest direction, and each step multiplies the distance
# by $|1 - \eta\lambda|$. It should shrink below $\eta = 2/\lambda$ and grow above. We try it on the
# network with half of that rate, with nine tenths and with eleven tenths, and keep walking for 400
# steps. What would you expect of the last one, just beyond the limit?

# %%
WALKED_RATES = (0.5, 0.9, 1.1)  # as shares of 2/λ
walks = {}
print(f"{'rate':12s}{'on paper':>12s}{'first step':>12s}{'tenth step':>12s}")
for share in WALKED_RATES:
    w = bottom + 1e-4 * direction
    distances = []
    losses = []
    for _ in range(400):
        distances.append(abs((w - bottom) @ direction).item())  # (P,) @ (P,) -> ()
        losses.append(penalised_loss(w).item())
        w = w - share * 2 / steepest * gradient_at(penalised_loss, w)
    walks[share] = {"distances": distances, "losses": losses, "end": w}
    factors = np.array(distances[1:11]) / np.array(distances[:10])
    print(f"{share:.1f} · 2/λ   {abs(1 - 2 * share):12.3f}{factors[0]:12.3f}{factors[-1]:12.3f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (share, walk), style in zip(walks.items(), (":", "--", "-", "-.")):
    left.semilogy(walk["distances"][:60], style, label=f"{share:.1f} · 2/λ")
    above = np.array(walk["losses"]) - penalised_loss(bottom).item()
    right.semilogy(np.maximum(above, 1e-12), style, label=f"{share:.1f} · 2/λ")
left.axvspan(0, 10, color="0.93", zorder=0)
left.set(xlabel="step", ylabel="distance along the steepest direction", title="The first 60 steps")
left.legend()
right.set(xlabel="step", ylabel="loss above the bottom (nats)", title="400 steps")
plt.show()

# %% [markdown]
# In the grey range the network does what the parabola predicts. (With half of the limit the first step
# lands on the bottom itself, and after that there is nothing left but rounding and the small error of the
# parabola.) Above the limit the distance grows by a fifth in each step until the walk is far out. There
# the surface is no longer a parabola, and the calculation says nothing about what happens next: the loss
# shoots up, comes down again, and shoots up again. What is the curvature where the walk has arrived?

# %%
end = walks[WALKED_RATES[-1]]["end"]
curvature_at_end, _ = power_iteration(
    lambda v: hessian_vector_product(penalised_loss, end, v), direction, tolerance=1e-3
)
above = np.array(walks[WALKED_RATES[-1]]["losses"]) - penalised_loss(bottom).item()
n_excursions = np.sum((above[1:] > 1e-3) & (above[:-1] <= 1e-3))
print(f"curvature at the start {steepest:.3f}, at the end {curvature_at_end:.3f}")
print(f"this rate tolerates a curvature of {steepest / WALKED_RATES[-1]:.3f}")
print(f"the loss left the bottom by more than 0.001 nats {n_excursions} times")

# %% [markdown]
# The walk does not end in a place where this rate would be allowed: the curvature there is still too
# large for it. So it leaves again, and this repeats. In large networks something similar is often seen,
# where training goes on at a rate near or above the limit, the loss rises and falls, and in the long run
# it still gets lower (Cohen et al. call it the edge of stability). So beyond the limit the loss no longer
# falls in every step, but a network may still learn.
#
# ## Saddles and plateaus
#
# Some places are level without being a bottom. Set all weights to zero, and the hidden units are all alike
# and have no effect, so the gradient of both weight matrices is zero. The output biases still learn how
# frequent each digit is, and then the gradient vanishes. Is that point a bowl?

# %%
stuck = torch.zeros(sum(sizes), dtype=torch.float64)
stuck[-10:] = (torch.bincount(y, minlength=10) / len(y)).log()  # the best biases for weights of zero
at_saddle = torch.linalg.eigvalsh(hessian(bare_loss, stuck))  # (P,)
print(f"loss {bare_loss(stuck):.3f}, length of the gradient {gradient_at(bare_loss, stuck).norm():.0e}")
print(
    f"curvatures from {at_saddle[0]:.3f} to {at_saddle[-1]:.3f}, {(at_saddle < -1e-6).sum()} of them negative"
)

# %% [markdown]
# There are downward directions and upward directions, so this point is a saddle (2.4). Along the
# steepest way down, the paper says that the distance grows by the factor $1 + \eta|\lambda|$ in each
# step. A network that starts with tiny weights begins close to this saddle. If it starts ten times
# closer, how many more steps should it need to get away?

# %%
SADDLE_RATE = 0.5
predicted_delay = np.log(10) / np.log(1 - SADDLE_RATE * at_saddle[0].item())
saddle_curves = {}
for start_size in (1e-1, 1e-3, 1e-5):
    torch.manual_seed(0)
    w = start_size * torch.randn(sum(sizes), dtype=torch.float64)
    curve = []
    for _ in range(200):
        curve.append(bare_loss(w).item())
        w = w - SADDLE_RATE * gradient_at(bare_loss, w)
    saddle_curves[start_size] = np.array(curve)
escape_steps = [int(np.argmax(curve < 1.5)) for curve in saddle_curves.values()]
measured_delay = np.diff(escape_steps).mean() / 2  # the starts lie two powers of ten apart
print(f"steps to a loss of 1.5: {escape_steps}")
print(f"delay for each power of ten: predicted {predicted_delay:.1f}, measured {measured_delay:.1f} steps")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (start_size, curve), style in zip(saddle_curves.items(), ("-", "--", "-.")):
    ax.plot(curve, style, label=f"weights of about {start_size:g}")
ax.axhline(bare_loss(stuck).item(), color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step", ylabel="loss (nats)", title="Loss from starts ever closer to a saddle")
ax.legend()
plt.show()

# %% [markdown]
# The delay is close to the prediction. The loss stays on a *plateau*, a stretch on which it hardly
# changes, while the distance to the saddle grows unseen, and then it falls quickly. (The grey line is
# the loss at the saddle.) So a flat learning curve does not prove that nothing is happening. It is also
# one more reason not to start with weights that are too small (6.5). But not every plateau is a saddle,
# because if all $\tanh$ units are saturated (5.2), every gradient is small and there is no steep way
# out.
#
# ## A batch instead of all images
#
# So far every gradient was a mean over all examples. A mini-batch (3.1) takes the mean over only $B$ of
# them, drawn at random, and descent with such gradients is stochastic gradient descent, SGD (3.3). The
# estimate is right on average but noisy. If the $B$ examples are drawn independently, their variances add
# up (2.8). With $g$ for the full gradient, $g_B$ for a batch's and $g_i$ for that of one example, this
# predicts
#
# $$\sqrt{\operatorname{mean} |g_B - g|^2} = \frac{s}{\sqrt B}, \qquad s^2 = \frac1n \sum_i |g_i - g|^2 .$$
#
# If no example may be drawn twice, as in an epoch, the noise is smaller by the factor $\sqrt{(n-B)/(n-1)}$,
# because the batch gradually becomes the whole set. To get each example's own gradient, `torch.func.grad`
# makes a function that computes a gradient, and `torch.func.vmap` runs that function on many examples at
# once; `in_dims` says which arguments have an axis of examples (axis 0), and which are the same for all
# (`None`).


# %%
def example_loss(w, image, label):
    """Cross-entropy of one image (64,) with its label (): a number."""
    return F.cross_entropy(scores(w, image[None]), label[None])  # (64,) -> (1, 64)


torch.manual_seed(1)
fresh = 0.2 * torch.randn(sum(sizes), dtype=torch.float64)  # (P,): an untrained network
gradients = torch.func.vmap(torch.func.grad(example_loss), in_dims=(None, 0, 0))(
    fresh, x, y
).numpy()  # (n, P)
n = len(gradients)
full = gradients.mean(axis=0)  # (P,)
np.testing.assert_allclose(full, gradient_at(bare_loss, fresh), rtol=1e-10, atol=1e-12)

spread = np.sqrt(np.mean(np.sum((gradients - full) ** 2, axis=1)))  # s
batch_sizes = 2 ** np.arange(9)  # 1 to 256
noise = {}
for name, replace in (("with replacement", True), ("without", False)):
    noise[name] = []
    for batch_size in batch_sizes:
        estimates = [gradients[rng.choice(n, batch_size, replace)].mean(axis=0) for _ in range(400)]
        noise[name].append(np.sqrt(np.mean(np.sum((np.array(estimates) - full) ** 2, axis=1))))
slope = np.polyfit(np.log(batch_sizes), np.log(noise["with replacement"]), 1)[0]
equal_size = (spread / np.linalg.norm(full)) ** 2  # the batch size at which |g| = s / √B
print(f"length of the full gradient {np.linalg.norm(full):.2f}, noise of a single example {spread:.2f}")
print(f"slope on log-log axes {slope:.3f}, predicted -0.5")

# %% [markdown]
# On axes that are both logarithmic, a power of $B$ is a straight line and its slope is the power.

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(batch_sizes, spread / np.sqrt(batch_sizes), color="0.7", linewidth=0.8, zorder=0, label="predicted")
ax.loglog(batch_sizes, noise["with replacement"], "o", label="with replacement")
ax.loglog(batch_sizes, noise["without"], "s", fillstyle="none", label="without")
ax.axhline(np.linalg.norm(full), color="0.7", linestyle=":", label="length of the full gradient")
ax.set(xlabel="batch size", ylabel="distance to the full gradient", title="Noise of a batch's gradient")
ax.legend()
plt.show()

# %% [markdown]
# The circles lie on the line, so a batch four times as large has half the noise. Where the dotted line is
# crossed, noise and gradient are of the same size. In this untrained network that is a batch of a few dozen
# images. Does it stay so during the training? We take 200 steps of gradient descent and measure both again.

# %%
later = fresh
for _ in range(200):
    later = later - 0.5 * gradient_at(bare_loss, later)
later_gradients = torch.func.vmap(torch.func.grad(example_loss), in_dims=(None, 0, 0))(
    later, x, y
).numpy()  # (n, P)
later_full = later_gradients.mean(axis=0)  # (P,)
later_spread = np.sqrt(np.mean(np.sum((later_gradients - later_full) ** 2, axis=1)))
later_equal_size = (later_spread / np.linalg.norm(later_full)) ** 2
print(f"{'':20s}{'gradient':>12s}{'noise of one':>14s}{'batch where both are equal':>28s}")
print(f"{'untrained':20s}{np.linalg.norm(full):12.3f}{spread:14.3f}{equal_size:28.0f}")
print(
    f"{'after 200 steps':20s}{np.linalg.norm(later_full):12.3f}{later_spread:14.3f}{later_equal_size:28.0f}"
)

# %% [markdown]
# Both have become smaller, because an image that is read well has a small gradient of its own. But the
# full gradient has fallen much further than the noise, and now it would take a batch of about a thousand
# images until both are equal. So late in the training a batch of the same size is mostly noise.
#
# ## The same in PyTorch
#
# `torch.optim.SGD` takes the step $w - \eta g$. Despite its name it knows nothing about batches, it
# steps along whatever gradient it finds in `.grad`. And `torch.func` has our product, because `vjp`
# gives a function that multiplies a vector by the derivative of what it was made from, here of the
# gradient.

# %%
_, times_hessian = torch.func.vjp(torch.func.grad(penalised_loss), bottom)
(torch_product,) = times_hessian(direction)
torch.testing.assert_close(torch_product, exact, rtol=1e-10, atol=1e-12)

ours = fresh.clone()
theirs = fresh.clone().requires_grad_()
optimizer = torch.optim.SGD([theirs], lr=0.5)
largest_difference = 0.0
for _ in range(50):
    rows = torch.from_numpy(rng.choice(n, 32))
    inputs, targets = x[rows], y[rows]
    ours.requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(scores(ours, inputs), targets), ours)
    ours = (ours - 0.5 * gradient).detach()
    optimizer.zero_grad()
    F.cross_entropy(scores(theirs, inputs), targets).backward()
    optimizer.step()
    largest_difference = max(largest_difference, (ours - theirs).abs().max().item())
print(f"largest difference over 50 steps {largest_difference:.1e}")
assert largest_difference < 1e-12

# %% [markdown]
# ## Steps, examples or seconds?
#
# Which batch size is best depends on what is being paid for. We train on all 1,797 digits until the loss
# on all of them is below $0.3$, and count steps, examples and seconds. (Looking at the loss does not
# count.) A comparison is only fair if each batch size has a good learning rate of its own, so each tries
# four rates with four seeds, the best is taken, and three other seeds are then measured at that rate. If a
# batch of 128 needs only a few steps more than all images together, what was the rest of the work for?

# %%
x_all = torch.from_numpy(images).float()  # (1797, 64)
y_all = torch.from_numpy(labels)  # (1797,)


TARGET = 0.3


def race(batch_size, learning_rate, seed, target=TARGET, most_steps=3000):
    """SGD until the loss on all digits is below target: {"steps", "examples", "seconds", "curve" (n, 2)}.

    "steps" is infinite if most_steps are not enough; "curve" has pairs of steps and loss on all digits.
    Raises ValueError if batch_size is below one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    torch.manual_seed(seed)
    w = (0.2 * torch.randn(sum(sizes))).requires_grad_()
    optimizer = torch.optim.SGD([w], lr=learning_rate)
    curve = [(0, F.cross_entropy(scores(w, x_all), y_all).item())]
    seconds = 0.0
    step = 0
    while curve[-1][1] >= target and step < most_steps:
        start = time.perf_counter()
        for _ in range(max(1, 64 // batch_size)):  # so many steps between two looks at all digits
            everything = batch_size >= len(x_all)
            rows = slice(None) if everything else torch.randint(len(x_all), (batch_size,))
            optimizer.zero_grad()
            F.cross_entropy(scores(w, x_all[rows]), y_all[rows]).backward()
            optimizer.step()
            step += 1
        seconds += time.perf_counter() - start
        with torch.no_grad():
            curve.append((step, F.cross_entropy(scores(w, x_all), y_all).item()))
    n_steps = step if curve[-1][1] < target else np.inf
    examples = n_steps * batch_size
    return {"steps": n_steps, "examples": examples, "seconds": seconds, "curve": np.array(curve)}


RATES = {4: (0.1, 0.2, 0.4, 0.8), 16: (0.2, 0.4, 0.8, 1.6), 128: (0.5, 1, 2, 4), 1797: (0.5, 1, 2, 4)}
best_rates = {}
print(f"{'batch size':12s}steps at four rates (means of four seeds)")
for batch_size, tried_rates in RATES.items():
    tried = {}
    for rate in tried_rates:
        tried[rate] = np.mean([race(batch_size, rate, s, most_steps=600)["steps"] for s in (0, 4, 5, 6)])
    best_rates[batch_size] = min(tried, key=tried.get)
    print(f"{batch_size:<12d}" + "".join(f"{rate:>8g}: {steps:<6.0f}" for rate, steps in tried.items()))

races = {}
medians = {}
print(f"\n{'batch size':12s}{'rate':>8s}{'steps':>16s}{'examples':>12s}{'seconds':>10s}   (medians)")
for batch_size, rate in best_rates.items():
    races[batch_size] = [race(batch_size, rate, seed) for seed in (1, 2, 3)]
    steps = [run["steps"] for run in races[batch_size]]
    row = {}
    for unit in ("steps", "examples", "seconds"):
        row[unit] = np.median([run[unit] for run in races[batch_size]])
    medians[batch_size] = row
    print(f"{batch_size:<12d}{rate:8g}{min(steps):8.0f} to {max(steps):<5.0f}", end="")
    print(f"{row['examples']:11,.0f}{row['seconds']:10.2f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for ax, unit in zip(axes, ("steps", "examples", "seconds")):
    for batch_size, runs in races.items():
        ax.plot([batch_size] * len(runs), [run[unit] for run in runs], "o", color="C0", fillstyle="none")
    ax.plot(
        list(medians), [row[unit] for row in medians.values()], "-", color="C1", label="median of three seeds"
    )
    ax.set(xlabel="batch size", ylabel=unit, xscale="log", yscale="log")
axes[0].legend()
fig.suptitle(f"Steps, examples and seconds until the loss is below {TARGET}")
plt.show()

# %% [markdown]
# Each circle is one run. From batches of 4 to batches of 16 the steps fall by a factor of about three, so
# a batch four times as large costs only about a third more examples. From 16 to 128, a batch eight times
# as large merely halves the steps, and the examples grow about fourfold. From 128 to all images the steps
# hardly fall any more, so the additional examples gain almost nothing. Probably the gradient is precise
# enough by then, and the curvature limits the rate. (With four other sets of three seeds the first two
# factors were between 2.7 and 3.5, and between 2.0 and 2.2.)
#
# The third panel depends on the machine. A processor that handles many examples at once is hardly slower
# with 16 of them than with four, so in seconds the best batch lies in between, and on a GPU further up.
# How far the batch may grow before examples are wasted differs from task to task, and it grows during
# training, because the full gradient falls faster than the noise. (This is one small network, with one
# target.)
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert steps_needed[1] == 1, "in a round valley one step is enough"
for ratio in (10, 100):
    assert 9 < steps_needed[10 * ratio] / steps_needed[ratio] < 11, (
        "ten times the condition number, ten times the steps"
    )
left_of_flat = {name: path[25, 0] / path[0, 0] for name, path in paths.items()}
assert np.isclose(left_of_flat["half of the limit"], 0.95**25), "a twentieth of the distance in each step"
assert abs(np.log(left_of_flat["both alike"]) / np.log(left_of_flat["half of the limit"]) - 2) < 0.1, (
    "the rate that treats both alike is twice as fast"
)
assert slope_left < 1e-6, "the solver stands where the gradient is zero"
assert eigenvalues["with penalty"][0] > 0, "with the penalty the point is the bottom of a bowl"
assert eigenvalues["without"][0] < -1e-3, "the bare loss bends down in some directions"
assert (eigenvalues["with penalty"] - eigenvalues["without"] - 0.01).abs().max() < 1e-9, (
    "the penalty adds its strength to every curvature"
)
almost_flat = (eigenvalues["without"].abs() < 0.01).double().mean().item()
assert almost_flat > 0.5, "most directions of the bare loss are almost flat"
for share, walk in walks.items():
    if share != 0.5:  # half of the limit is the jump to the bottom: nothing is left to measure
        factors = np.array(walk["distances"][1:11]) / np.array(walk["distances"][:10])
        assert np.allclose(factors, abs(1 - 2 * share), rtol=0.01), "the distance follows |1 − ηλ|"
    else:
        assert walk["distances"][1] < 0.001 * walk["distances"][0], "half of the limit lands on the bottom"
assert n_excursions >= 2, "above the limit the walk leaves, comes back and leaves again"
assert curvature_at_end > steepest / WALKED_RATES[-1], (
    "where it arrives the curvature is still too large for the rate"
)
assert gradient_at(bare_loss, stuck).norm() < 1e-6, "at weights of zero the gradient vanishes"
assert at_saddle[0] < -0.1 and at_saddle[-1] > 0.1, "weights of zero are a saddle"
assert abs(measured_delay / predicted_delay - 1) < 0.25, (
    "the delay at the saddle is close to the predicted one"
)
assert abs(slope + 0.5) < 0.02, "a batch four times as large has half the noise"
predicted_noise = spread / np.sqrt(batch_sizes)
assert np.allclose(noise["with replacement"], predicted_noise, rtol=0.1), "the noise is s / √B"
fewer = np.sqrt((n - batch_sizes) / (n - 1))
assert np.allclose(noise["without"], predicted_noise * fewer, rtol=0.1), "without replacement it is smaller"
assert 12 < equal_size < 60, "at a few dozen images noise and gradient are alike"
assert later_spread < 0.7 * spread, "during the training the noise becomes smaller"
assert later_equal_size > 500, "but the gradient falls further: it takes about a thousand images"
for batch_size, tried_rates in RATES.items():
    assert best_rates[batch_size] not in (tried_rates[0], tried_rates[-1]), (
        "no best rate at the edge of its grid"
    )
assert 2.2 < medians[4]["steps"] / medians[16]["steps"] < 4.2, "four times the batch: a third of the steps"
assert medians[16]["examples"] < 1.8 * medians[4]["examples"], "and only some more examples"
assert 1.6 < medians[16]["steps"] / medians[128]["steps"] < 2.6, "eight times the batch: half the steps"
assert 3 < medians[128]["examples"] / medians[16]["examples"] < 5, "and about four times the examples"
assert medians[1797]["steps"] > 0.7 * medians[128]["steps"], "from 128 to all images the steps hardly fall"
assert medians[1797]["examples"] > 8 * medians[128]["examples"], "all images cost many times the examples"
assert max(run["steps"] for runs in races.values() for run in runs) < np.inf, "all of them reach the target"

# %% [markdown]
# ## Going further
#
# How to draw a loss surface with hundreds of dimensions. Nothing later needs it.
#
# ### A slice through the surface
#
# Choose two random directions $d_1$ and $d_2$ and plot the loss of $w + a d_1 + b d_2$. But how long
# should the directions be? If a ReLU layer is multiplied by ten and the next one divided by ten, the
# network computes the same function, so the lengths of weights by themselves mean nothing. Li et al. give
# each neuron's row in $d$ the length of that neuron's row in $w$, and leave the biases alone. They call
# it *filter normalization*.


# %%
def filter_normalised(w, direction):
    """`direction` (P,) with each neuron's row as long as that row of w, zero for biases (Li et al. 2018)."""
    parts = []
    for part, noise_part, shape in zip(w.split(sizes), direction.split(sizes), shapes):
        if len(shape) == 1:
            parts.append(torch.zeros_like(part))
        else:
            rows = part.reshape(shape)  # (n_out, n_in)
            random_rows = noise_part.reshape(shape)  # (n_out, n_in)
            scale = rows.norm(dim=1, keepdim=True) / random_rows.norm(dim=1, keepdim=True)  # (n_out, 1)
            parts.append((random_rows * scale).flatten())
    return torch.cat(parts)


def slice_of_loss(f, w, directions, span, n=31):
    """f(w + a·d1 + b·d2) on a square grid of n × n points, a and b in (-span, span): offsets (n,), (n, n)."""
    offsets = torch.linspace(-span, span, n, dtype=torch.float64)
    first, second = directions
    values = [[f(w + a * first + b * second).item() for a in offsets] for b in offsets]
    return offsets.numpy(), np.array(values)


def relu_loss(w):
    """Cross-entropy of the network with ReLU in place of tanh."""
    return F.cross_entropy(scores(w, x, torch.relu), y)


# %% [markdown]
# We train a ReLU network of the same shapes and write it a second time, with the hidden layer ten times
# larger and the last layer ten times smaller. Which slices will agree?

# %%
torch.manual_seed(0)
trained = (0.2 * torch.randn(sum(sizes), dtype=torch.float64)).requires_grad_()
optimizer = torch.optim.SGD([trained], lr=0.5)
for _ in range(600):
    optimizer.zero_grad()
    relu_loss(trained).backward()
    optimizer.step()
trained = trained.detach()
factors = torch.cat([torch.full((size,), c, dtype=torch.float64) for size, c in zip(sizes, (10, 10, 0.1, 1))])
networks = {"as trained": trained, "layer 1 times 10, layer 2 over 10": trained * factors}
random_directions = [torch.randn(sum(sizes), dtype=torch.float64) for _ in range(2)]
raw_slices = {}
normalised_slices = {}
for name, w in networks.items():
    _, raw_slices[name] = slice_of_loss(relu_loss, w, [0.3 * d for d in random_directions], 1.0)
    normalised = [filter_normalised(w, d) for d in random_directions]
    offsets, normalised_slices[name] = slice_of_loss(relu_loss, w, normalised, 1.0)

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharex=True, sharey=True)
levels = np.geomspace(0.003, 20, 14)
panels = [("random", name, values) for name, values in raw_slices.items()]
panels += [("normalised", name, values) for name, values in normalised_slices.items()]
for ax, (kind, name, values) in zip(axes, panels):
    drawn = ax.contourf(offsets, offsets, values, levels=levels, norm="log", extend="both")
    ax.contour(offsets, offsets, values, levels=levels, colors="white", linewidths=0.4)
    ax.plot(0, 0, "w+", markersize=12)
    ax.set(xlabel="along the first direction", title=f"{kind} directions:\n{name}")
axes[0].set_ylabel("along the second direction")
fig.colorbar(drawn, ax=axes, label="loss (nats)", ticks=[0.1, 1, 10], format="%g")
fig.suptitle("One function, written with two sets of weights")
plt.show()

# %% [markdown]
# With random directions the two slices differ although the two networks are the same function, so a
# picture of this kind says nothing about the function. With normalised directions they agree. Even so, a
# slice shows two of 610 directions, and the narrow ones may be missed by a random choice.

# %%
first, second = networks
assert np.allclose(normalised_slices[first], normalised_slices[second], rtol=1e-8), "normalised slices agree"
assert np.abs(raw_slices[first] - raw_slices[second]).max() > 0.5, (
    "slices along random directions do not agree"
)

# %% [markdown]
# ## What to remember
#
# - A quiet descent needs a learning rate below $2/\lambda$, where $\lambda$ is the largest curvature; the
#   smallest curvature then decides how long it takes. Their ratio is the condition number.
# - A Hessian-vector product costs about two gradients and no matrix, and power iteration turns it into the
#   largest curvature of any network.
# - The loss of our network is no bowl: most directions are almost flat, some bend down. Near a saddle the
#   loss stays on a plateau, then falls.
# - A batch four times as large has half the noise, and the noise weighs more late in the training. Larger
#   batches save steps up to a point, and cost examples.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set the penalty's strength to `1e-3` in `penalised_loss`. What happens to the smallest curvature with
#    the penalty? Read it from the lines of "with penalty" and "without".
# 2. Walk with `WALKED_RATES = (0.5, 0.9, 3.0)` instead. How fast does the distance grow on paper, and does
#    the loss in the second figure (right panel) still come back?
# 3. From a blank cell at the end: find the largest curvature of the _untrained_ network `fresh` by power
#    iteration on `bare_loss`, and the largest learning rate that it allows. Compare it with the rates that
#    won for the largest batch.
#
# ## Sources
#
# - J. Cohen, S. Kaur, Y. Li, J. Z. Kolter, A. Talwalkar, "Gradient descent on neural networks typically
#   occurs at the edge of stability", ICLR 2021: what happens beyond $2/\lambda$.
# - B. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994. Reproduced:
#   `test_products_match_the_hessian`.
# - Y. Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
#   optimization", NeurIPS 2014: saddles and plateaus. Reproduced: "weights of zero are a saddle".
# - S. McCandlish, J. Kaplan, D. Amodei, "An empirical model of large-batch training", 2018: steps against
#   examples.
# - H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the loss landscape of neural nets",
#   NeurIPS 2018, section 4. Reproduced: "normalised slices agree".
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data, CC BY 4.0.
