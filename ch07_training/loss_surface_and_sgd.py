# %% [markdown]
# # 7.1 The loss surface: how steep, how narrow, how noisy
#
# A hiker in fog wants to reach the lake. She sees nothing, but her feet feel the slope. She decides how
# long a step is, and how many spots of ground to feel before she trusts the answer. Training is that
# walk, and those are its first two decisions: the learning rate and the batch size.
#
# **You will build** a curvature meter for any network, a map of the ground around a trained one, and the
# law that says what a larger batch buys. **You need** gradient descent (2.5), autograd (6.6) and a
# network in PyTorch (4.3).

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
# The smallest bowl is $L(w) = \frac\lambda2 w^2$, with slope $\lambda w$ and curvature $\lambda$. One
# step with the learning rate $\eta$ gives
#
# $$w - \eta \lambda w = (1 - \eta\lambda)\, w .$$
#
# With $\lambda = 4$: a rate of $0.1$ leaves $0.6$ of the distance, $0.4$ overshoots to $-0.6$, and $0.6$
# lands at $-1.4$, farther out than it began. The border is $\eta = 2/\lambda$.

# %%
curvature = 4.0
for learning_rate, factor in ((0.1, 0.6), (0.4, -0.6), (0.6, -1.4)):
    w = 1.0
    w = w - learning_rate * curvature * w
    print(f"rate {learning_rate}   from 1 to {w:.1f}")
    assert abs(w - factor) < 1e-12

# %% [markdown]
# ## A valley
#
# Now two directions, one flat and one steep: $L(u, v) = \frac12 (u^2 + \kappa v^2)$. The steep one sets
# the limit, $\eta < 2/\kappa$, and the flat one has to live with it. The ratio of the two curvatures,
# $\kappa$, is the *condition number*. The best rate makes both directions shrink alike:
#
# $$\eta = \frac{2}{1 + \kappa}, \qquad
#   \text{distance} \to \frac{\kappa - 1}{\kappa + 1} \cdot \text{distance} .$$


# %%
def descend(gradient, start, learning_rate, n_steps):
    """The path of gradient descent, shape (n_steps + 1, dimensions); `gradient`: a function of a point."""
    path = [np.asarray(start, dtype=np.float64)]
    for _ in range(n_steps):
        path.append(path[-1] - learning_rate * gradient(path[-1]))
    return np.array(path)


kappa = 20.0
curvatures = np.array([1.0, kappa])
rates = {"half of the limit": 1 / kappa, "the best": 2 / (1 + kappa), "beyond the limit": 2.05 / kappa}
paths = {name: descend(lambda w: curvatures * w, (10.0, 1.0), rate, 40) for name, rate in rates.items()}
shrink = np.linalg.norm(paths["the best"], axis=1)
print(f"best rate: each step leaves {shrink[1] / shrink[0]:.4f} of the distance")
np.testing.assert_allclose(shrink[1:] / shrink[:-1], (kappa - 1) / (kappa + 1), rtol=1e-10)

# %% [markdown]
# What does narrowness cost? We count the steps until the distance is a thousandth of what it was, with
# the best rate for each valley. The count grows in proportion to $\kappa$.

# %%
needed = {}
for ratio in (1, 10, 100, 1000):
    factor = (ratio - 1) / (ratio + 1)
    needed[ratio] = 1 if factor == 0 else int(np.ceil(np.log(1e-3) / np.log(factor)))
    path = descend(lambda w, r=ratio: np.array([1.0, r]) * w, (1.0, 1.0), 2 / (1 + ratio), needed[ratio])
    print(f"condition number {ratio:5d}   {needed[ratio]:5d} steps")
    assert np.linalg.norm(path[-1]) <= 1.001e-3 * np.linalg.norm(path[0])
assert 9 < needed[1000] / needed[100] < 11

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
us, vs = np.meshgrid(np.linspace(-11, 11, 100), np.linspace(-3, 3, 100))
for ax, (name, path) in zip(axes, paths.items()):
    ax.contour(us, vs, np.sqrt(us**2 + kappa * vs**2), levels=12, colors="0.8", linewidths=0.8)
    ax.plot(*path[:26].T, "o-", color="C1", markersize=3, linewidth=1)
    ax.plot(0, 0, "k+", markersize=12)
    ax.set(
        xlabel="u, the flat direction", xlim=(-11, 11), ylim=(-3, 3), title=f"{name}: rate {rates[name]:.3f}"
    )
axes[0].set_ylabel("v, the steep direction")
fig.suptitle("The steep direction limits the rate, the flat one does the waiting")
plt.show()

# %% [markdown]
# ## A network has directions too
#
# Near a minimum a network's loss is a bowl in as many dimensions as it has weights, and its matrix of
# second derivatives, the *Hessian* $H$, holds the curvatures. We take a small tanh network on digits,
# with all its weights in one vector `w` and a small penalty on their squared length added to the loss.
# Smooth tanh matters here: at ReLU's kinks the Hessian jumps.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

x = torch.from_numpy(images[:400])  # (400, 64) float64
y = torch.from_numpy(labels[:400])  # (400,)
shapes = [(8, 64), (8,), (10, 8), (10,)]
sizes = [int(np.prod(shape)) for shape in shapes]


def scores(w, x, activation=torch.tanh):
    """The network's outputs for images x (B, 64) and all weights in one vector w (P,): shape (B, 10)."""
    weight1, bias1, weight2, bias2 = (part.reshape(shape) for part, shape in zip(w.split(sizes), shapes))
    hidden = activation(x @ weight1.T + bias1)  # (B, 64) @ (64, 8) -> (B, 8)
    return hidden @ weight2.T + bias2  # (B, 8) @ (8, 10) -> (B, 10)


def loss_at(w, strength=1e-2):
    """Cross-entropy on all of x and y, and strength/2 · |w|²."""
    return F.cross_entropy(scores(w, x), y) + strength / 2 * (w @ w)  # (P,) @ (P,) -> ()


# %% [markdown]
# Plain gradient descent would take long to reach the very bottom. For measuring we borrow L-BFGS, which
# estimates curvature as it goes, and asks for loss and gradient as often as it likes by calling a
# function, the `closure`. It only serves to stand still at a point where the slope is gone.

# %%
torch.manual_seed(0)
bottom = (0.2 * torch.randn(sum(sizes), dtype=torch.float64)).requires_grad_()
solver = torch.optim.LBFGS(
    [bottom],
    max_iter=5000,
    history_size=30,
    tolerance_grad=1e-8,
    tolerance_change=0,
    line_search_fn="strong_wolfe",
)


def closure():
    solver.zero_grad()
    loss = loss_at(bottom)
    loss.backward()
    return loss


solver.step(closure)
slope_left = bottom.grad.norm().item()
bottom = bottom.detach()
print(f"{len(bottom)} weights, loss {loss_at(bottom):.4f}, gradient {slope_left:.0e}")
assert slope_left < 1e-6

# %% [markdown]
# ## Curvature without the matrix
#
# The full Hessian of a million weights has $10^{12}$ entries. But $H$ times one vector needs only
# gradients: it is how the gradient $g$ changes along $v$. So we can nudge and subtract, or let autograd
# differentiate the number $g \cdot v$, which is exact.
#
# $$H v = \lim_{\varepsilon \to 0} \frac{g(w + \varepsilon v) - g(w - \varepsilon v)}{2 \varepsilon}
#       = \nabla_w \big( g(w) \cdot v \big)$$


# %%
def gradient_at(f, w):
    """The gradient of the scalar function f at w (P,), shape (P,)."""
    w = w.detach().requires_grad_()
    return torch.autograd.grad(f(w), w)[0]


def nudged_product(f, w, v, nudge=1e-5):
    """Hessian of f at w times v (P,), from two gradients: shape (P,), exact to about nudge²."""
    return (gradient_at(f, w + nudge * v) - gradient_at(f, w - nudge * v)) / (2 * nudge)


def hessian_vector_product(f, w, v):
    """Hessian of f at w times v (P,), exactly, by differentiating the gradient; Pearlmutter 1994."""
    w = w.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(w), w, create_graph=True)
    return torch.autograd.grad(gradient @ v, w)[0]  # (P,) @ (P,) -> (), its gradient (P,)


v = torch.randn(len(bottom), dtype=torch.float64)
v = v / v.norm()
exact = hessian_vector_product(loss_at, bottom, v)
largest = (exact - nudged_product(loss_at, bottom, v)).abs().max().item()
print(f"largest difference between the two {largest:.1e}")
assert largest < 1e-8

# %% [markdown]
# ## The steepest direction
#
# Multiply a random vector by $H$ again and again, and the direction of the largest curvature outgrows all
# others. That is *power iteration*. At its end $Hv = \lambda v$ holds, and what is missing from equality
# tells when to stop.


# %%
def power_iteration(product, v, tolerance=1e-6, n_steps=5000):
    """The eigenvalue of largest size and its unit eigenvector.

    product: v (P,) -> H v (P,) for a symmetric H, v: a start. Raises ValueError if n_steps are too few.
    """
    v = v / v.norm()
    for _ in range(n_steps):
        longer = product(v)
        eigenvalue = v @ longer  # (P,) @ (P,) -> ()
        if (longer - eigenvalue * v).norm() < tolerance * eigenvalue.abs():
            return eigenvalue.item(), v
        v = longer / longer.norm()
    raise ValueError(f"no direction within {tolerance:g} after {n_steps} steps")


top, direction = power_iteration(lambda v: hessian_vector_product(loss_at, bottom, v), v)
eigenvalues = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss_at, bottom))  # (P,)
print(f"largest curvature {top:.4f}, from the whole matrix {eigenvalues[-1]:.4f}")
print(f"smallest {eigenvalues[0]:.4f}: a condition number of {eigenvalues[-1] / eigenvalues[0]:.0f}")
assert abs(top - eigenvalues[-1]) < 1e-6 and eigenvalues[0] > 0

# %% [markdown]
# ## Does the limit hold?
#
# The bowl on paper predicts: start a little off along the steepest direction, and the distance is
# multiplied by $|1 - \eta\lambda|$ a step, shrinking below $\eta = 2/\lambda$ and growing above. We
# measure it on the real network for ten steps, then keep walking.

# %%
walks = {}
for share in (0.5, 0.9, 1.1):
    learning_rate = share * 2 / top
    w, distances, losses = bottom + 1e-4 * direction, [], []
    for _ in range(400):
        distances.append(abs((w - bottom) @ direction).item())
        losses.append(loss_at(w).item())
        w = w - learning_rate * gradient_at(loss_at, w)
    growth = (distances[10] / distances[0]) ** (1 / 10)
    walks[share] = distances, losses, w
    print(f"rate {share} · 2/λ   theory {abs(1 - 2 * share):.3f}   ten steps {growth:.4f} a step")
    if share != 0.5:  # half of the limit is the jump to the bottom: nothing is left to measure
        np.testing.assert_allclose(np.divide(distances[1:11], distances[:10]), abs(1 - 2 * share), rtol=0.01)
assert walks[0.5][0][1] < 1e-6

# %% [markdown]
# Above the limit the walk leaves, but it need not end badly. Far enough out the bowl is no longer a bowl:
# the loss shoots up, then the walk comes back down, here to a place that is a little flatter. We show it
# and promise nothing.

# %%
there = walks[1.1][2]
top_there, _ = power_iteration(lambda v: hessian_vector_product(loss_at, there, v), direction, tolerance=1e-3)
print(
    f"curvature at the start {top:.3f}, after the walk {top_there:.3f}; this rate tolerates {top / 1.1:.3f}"
)
print(f"loss at the start {loss_at(bottom):.6f}, after the walk {loss_at(there):.6f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (share, (distances, losses, _)), style in zip(list(walks.items())[1:], ("--", "-")):
    left.semilogy(distances[:60], style, label=f"rate {share} · 2/λ")
    right.semilogy(np.array(losses) - loss_at(bottom).item() + 1e-16, style, label=f"rate {share} · 2/λ")
left.axvspan(0, 10, color="0.93", zorder=0)
left.set(
    xlabel="step", ylabel="distance along the top direction", title="Theory holds while the walk is short"
)
left.legend()
right.set(
    xlabel="step", ylabel="loss above the bottom (nats)", title="Beyond the limit it leaves, and comes back"
)
plt.show()

# %% [markdown]
# ## A map of the ground
#
# Hundreds of dimensions do not fit on paper, but a slice does: choose two random directions, and plot the
# loss of $w + \alpha d_1 + \beta d_2$. How long should the directions be? A ReLU layer times ten followed
# by one divided by ten computes the same function, so raw lengths mean nothing. Li et al. give each
# neuron's row in $d$ the length of that neuron's row in $w$, and leave the biases alone: *filter
# normalization*.


# %%
def filter_normalised(w, direction):
    """`direction` (P,) with each neuron's row as long as that row of w, zero for biases; Li et al. 2018."""
    parts = []
    for part, noise, shape in zip(w.split(sizes), direction.split(sizes), shapes):
        if len(shape) == 1:
            parts.append(torch.zeros_like(part))
        else:
            rows, random_rows = part.reshape(shape), noise.reshape(shape)  # (n_out, n_in) each
            scale = rows.norm(dim=1, keepdim=True) / random_rows.norm(dim=1, keepdim=True)  # (n_out, 1)
            parts.append((random_rows * scale).flatten())
    return torch.cat(parts)


def slice_of_loss(f, w, directions, span, n=31):
    """f(w + a·d1 + b·d2) on a square grid of n × n points, a and b in (-span, span): offsets (n,), (n, n)."""
    offsets = torch.linspace(-span, span, n, dtype=torch.float64)
    first, second = directions
    values = [[f(w + a * first + b * second).item() for a in offsets] for b in offsets]
    return offsets.numpy(), np.array(values)


# %% [markdown]
# We train a ReLU network of the same shapes, then write it a second time with the hidden layer ten times
# larger and the last layer ten times smaller. Same function, but only the normalised slices agree.

# %%
sharp = (0.2 * torch.randn(sum(sizes), dtype=torch.float64)).requires_grad_()
optimizer = torch.optim.SGD([sharp], lr=0.5)
relu_loss = lambda w: F.cross_entropy(scores(w, x, torch.relu), y)
for _ in range(600):
    loss = relu_loss(sharp)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
sharp = sharp.detach()

factors = torch.cat([torch.full((n,), c, dtype=torch.float64) for n, c in zip(sizes, (10, 10, 0.1, 1))])
networks = {"as trained": sharp, "layer 1 times 10, layer 2 over 10": sharp * factors}
raw = [torch.randn(len(sharp), dtype=torch.float64) for _ in range(2)]
slices = {}
for name, w in networks.items():
    slices[name, "raw"] = slice_of_loss(relu_loss, w, [0.3 * d for d in raw], 1.0)[1]
    offsets, slices[name, "normalised"] = slice_of_loss(
        relu_loss, w, [filter_normalised(w, d) for d in raw], 1.0
    )
first, second = networks
print(f"loss {relu_loss(networks[first]):.4f} and {relu_loss(networks[second]):.4f}")
np.testing.assert_allclose(slices[first, "normalised"], slices[second, "normalised"], rtol=1e-8)
assert np.abs(slices[first, "raw"] - slices[second, "raw"]).max() > 0.5

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharex=True, sharey=True)
levels = np.geomspace(0.02, 20, 13)
for ax, (kind, name) in zip(axes, [(k, n) for k in ("raw", "normalised") for n in networks]):
    drawn = ax.contourf(offsets, offsets, slices[name, kind], levels=levels, norm="log", extend="both")
    ax.contour(offsets, offsets, slices[name, kind], levels=levels, colors="white", linewidths=0.4)
    ax.plot(0, 0, "w+", markersize=12)
    ax.set(xlabel="along the first direction", title=f"{kind}:\n{name}")
axes[0].set_ylabel("along the second direction")
fig.colorbar(drawn, ax=axes, label="loss (nats)", ticks=[0.1, 1, 10], format="%g")
fig.suptitle("One function written in two ways: only normalised slices agree")
plt.show()

# %% [markdown]
# ## Feeling fewer spots
#
# The full gradient is a mean over all examples. A *mini-batch* takes the mean over $B$ of them, drawn at
# random: right on average, and noisy. Drawn with replacement, the $B$ gradients are independent, so their
# variances add, and the noise of the mean falls with $\sqrt B$. With $g$ for the full gradient, $g_B$ for
# a batch's, $g_i$ for one example's, and $\mathbb E$ for the mean over many draws:
#
# $$\sqrt{\mathbb E\, |g_B - g|^2} = \frac{s}{\sqrt B}, \qquad s^2 = \frac1n \sum_i |g_i - g|^2 .$$
#
# Drawn without replacement, as an epoch does, the batch can also run out: the noise is
# $\sqrt{(n-B)/(n-1)}$ times that, and zero at $B = n$. To get every example's own gradient,
# `torch.func.grad` makes the function that computes one, and `torch.func.vmap` runs it on all rows at
# once.

# %%
torch.manual_seed(1)
w = 0.2 * torch.randn(sum(sizes), dtype=torch.float64)
one_loss = lambda w, image, label: F.cross_entropy(scores(w, image[None])[0], label)  # (1, 64)
each = torch.func.vmap(torch.func.grad(one_loss), in_dims=(None, 0, 0))(w, x, y).numpy()  # (n, P)
full = each.mean(axis=0)  # (P,)
np.testing.assert_allclose(full, gradient_at(lambda w: loss_at(w, strength=0.0), w), rtol=1e-10, atol=1e-12)

n = len(each)
spread = np.sqrt(np.mean(np.sum((each - full) ** 2, axis=1)))
batch_sizes = 2 ** np.arange(9)  # 1 to 256
noise = {}
for replace in (True, False):
    draws = [[each[rng.choice(n, b, replace)].mean(axis=0) for _ in range(400)] for b in batch_sizes]
    noise[replace] = np.sqrt([np.mean(np.sum((np.array(d) - full) ** 2, axis=1)) for d in draws])

# %% [markdown]
# On log-log axes a power of $B$ is a straight line, and its slope is the power. Four times the work buys
# half of the noise.

# %%
slope = np.polyfit(np.log(batch_sizes), np.log(noise[True]), 1)[0]
print(f"slope {slope:.3f}, theory -0.5")
assert abs(slope + 0.5) < 0.02
np.testing.assert_allclose(noise[True], spread / np.sqrt(batch_sizes), rtol=0.1)
remaining = np.sqrt((n - batch_sizes) / (n - 1))
np.testing.assert_allclose(noise[False], spread / np.sqrt(batch_sizes) * remaining, rtol=0.1)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(batch_sizes, spread / np.sqrt(batch_sizes), color="0.7", linewidth=0.8, zorder=0, label="theory")
ax.loglog(batch_sizes, noise[True], "o", label="with replacement")
ax.loglog(batch_sizes, noise[False], "s", fillstyle="none", label="without")
ax.set(
    xlabel="batch size", ylabel="distance to the full gradient", title="Four times the batch, half the noise"
)
ax.legend()
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `torch.autograd.functional.vhp` is our product, and `torch.optim.SGD` our step. Despite its name it
# knows nothing of batches: it steps along whatever gradient it finds. We copy the starting weights and
# compare the weights after every step on the same mini-batches.

# %%
torch_product = torch.autograd.functional.vhp(loss_at, bottom, direction)[1]
torch.testing.assert_close(
    torch_product, hessian_vector_product(loss_at, bottom, direction), rtol=1e-10, atol=1e-12
)

theirs = w.clone().requires_grad_()
ours, largest = w.clone(), 0.0
optimizer = torch.optim.SGD([theirs], lr=0.5)
for _ in range(50):
    batch = torch.from_numpy(rng.choice(n, 32))
    batch_loss = lambda w, batch=batch: F.cross_entropy(scores(w, x[batch]), y[batch])
    ours = ours - 0.5 * gradient_at(batch_loss, ours)
    optimizer.zero_grad()
    batch_loss(theirs).backward()
    optimizer.step()
    largest = max(largest, (ours - theirs).abs().max().item())
print(f"largest difference {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## Steps, examples or seconds?
#
# Which batch size is best depends on what you pay for. We train on all digits until the loss on all of
# them falls below a target, and count three currencies. Each batch size gets the best of four rates,
# found beforehand in the same race. Looking at the loss is not on the clock.

# %%
x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)  # (1797, 64), (1797,)


def race(batch_size, learning_rate, target, most_steps):
    """Steps, examples and seconds until the loss on all digits is below target; and the curve of losses."""
    torch.manual_seed(0)
    w = 0.2 * torch.randn(sum(sizes))
    seconds, curve = 0.0, []
    every = max(1, 64 // batch_size)  # look at the full loss once in so many steps
    for step in range(0, most_steps, every):
        with torch.no_grad():
            curve.append((step, F.cross_entropy(scores(w, x), y).item()))
        if curve[-1][1] < target:
            break
        start = time.perf_counter()
        for _ in range(every):
            batch = torch.randint(len(x), (batch_size,)) if batch_size < len(x) else slice(None)
            w = w - learning_rate * gradient_at(lambda w, b=batch: F.cross_entropy(scores(w, x[b]), y[b]), w)
        seconds += time.perf_counter() - start
    return step, step * batch_size, seconds, np.array(curve)


target = 0.3
races = {}
print(f"{'batch size':12s}{'rate':>8s}{'steps':>12s}{'examples':>12s}{'seconds':>12s}")
for batch_size, learning_rate in ((1, 0.1), (16, 0.8), (128, 2.0), (len(x), 2.0)):
    races[batch_size] = race(batch_size, learning_rate, target, most_steps=20_000)
    steps, examples, seconds, curve = races[batch_size]
    print(f"{batch_size:<12d}{learning_rate:8.2f}{steps:12,d}{examples:12,d}{seconds:12.2f}")
    assert curve[-1, 1] < target
one, few, many, everything = races.values()
assert one[0] > 2 * few[0] > 2 * many[0]  # steps
assert one[1] < many[1] / 2 < everything[1] / 8  # examples

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
for (batch_size, (steps, examples, seconds, curve)), style in zip(races.items(), ("-", "--", "-.", ":")):
    for ax, total in zip(axes, (steps, examples, seconds)):
        ax.plot(curve[1:, 0] / steps * total, curve[1:, 1], style, label=f"batch of {batch_size}")
for ax, unit in zip(axes, ("steps", "examples", "seconds")):
    ax.set(xlabel=unit, xscale="log", title=f"in {unit}")
axes[0].set_ylabel("loss on all digits (nats)")
axes[0].legend(fontsize=8)
fig.suptitle("Large batches need fewer steps, small batches fewer examples")
plt.show()

# %% [markdown]
# At first the steps fall almost as fast as the batch grows, and few examples are wasted. Further up the
# steps hardly fall: by then the curvature limits the rate, not the noise, and more examples buy nothing.
# A processor that handles many examples at once moves the best batch size up, so the third panel depends
# on the machine.
#
# ## What to remember
#
# - The learning rate must stay below $2/\lambda$, with $\lambda$ the largest curvature; the smallest
#   curvature then decides how long it takes.
# - A Hessian-vector product costs a few gradients and no matrix; power iteration turns it into $\lambda$.
# - A slice shows the ground only if its directions are scaled like the weights.
# - Four times the batch, half the noise: large batches save steps, small ones save examples.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Set `strength` to $0.1$ and to $0.001$. What happens to the condition number?
# 2. Walk at 1.5 and at 3 times $2/\lambda$. Do both come back?
# 3. Multiply all images by 4. By how much does the best rate change in the race?
#
# ## Sources
#
# - H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the loss landscape of neural nets",
#   NeurIPS 2018, section 4: filter-normalised slices.
# - B. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994.
# - J. Cohen et al., "Gradient descent on neural networks typically occurs at the edge of stability", ICLR
#   2021: what happens beyond $2/\lambda$.
# - S. McCandlish et al., "An empirical model of large-batch training", 2018: steps against examples.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data, CC BY 4.0.
