# %% [markdown]
# # 7.5 Gradient health: gauges on every layer
#
# A long pipe delivers no water. Is it blocked at the third joint, or did it burst at the first? From the
# tap nobody can tell; with a pressure gauge at every joint anyone can. A deep network is such a pipe in
# two directions, activations going up and gradients coming down, and PyTorch lets us screw a gauge on any
# layer.
#
# **You will build** gauges from hooks, see signals vanish, saturate and explode, count how ReLUs die and
# what helps, and tame a cliff by clipping. **You need** weight initialization (6.5), activations (5.2)
# and diagnostics (7.4).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# A gradient of $(3, 4)$ has length $5$. *Clipping by norm* to $1$ shortens the whole vector, to $(0.6,
# 0.8)$: same direction. *Clipping by value* to $1$ cuts each number, to $(1, 1)$: another direction. Both
# leave a short gradient alone.

# %%
g = np.array([3.0, 4.0])
by_norm, by_value = g * min(1, 1 / np.linalg.norm(g)), np.clip(g, -1, 1)
print("by norm", by_norm, "  by value", by_value)
np.testing.assert_allclose(by_norm, [0.6, 0.8])
np.testing.assert_allclose(by_value, [1.0, 1.0])

# %% [markdown]
# ## A gauge
#
# A *hook* is a function that PyTorch calls when something passes by. A forward hook on a module sees its
# output; a hook on that output, a tensor, sees the gradient when it comes back. Together they are our
# gauge. A hook stays until it is removed.


# %%
def attach_gauges(layers):
    """Hooks that record, at every forward and backward pass, each layer's output and its gradient.

    Returns (gauges, handles): gauges[i] is a dictionary with "output" and "gradient", tensors of one shape;
    call remove() on every handle to detach.
    """
    gauges = [{} for _ in layers]

    def hook_for(gauge):
        def hook(module, inputs, output):
            gauge["output"] = output.detach()
            if output.requires_grad:
                output.register_hook(lambda grad: gauge.update(gradient=grad))

        return hook

    return gauges, [layer.register_forward_hook(hook_for(gauge)) for layer, gauge in zip(layers, gauges)]


# %% [markdown]
# Do the gauges read right? On a small network in float64 the gradients must be those that `autograd.grad`
# gives for the layers' outputs, and after removal the gauges must stand still.

# %%
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh()).double()
gauges, handles = attach_gauges(model)
x, cotangent = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
(model(x) * cotangent).sum().backward()
for handle in handles:
    handle.remove()

outputs = [x]
for layer in model:  # a second time, without gauges
    outputs.append(layer(outputs[-1]))
expected = torch.autograd.grad((outputs[-1] * cotangent).sum(), outputs[1:])
for gauge, output, grad in zip(gauges, outputs[1:], expected, strict=True):
    torch.testing.assert_close(gauge["output"], output)
    torch.testing.assert_close(gauge["gradient"], grad, rtol=1e-10, atol=1e-12)

kept = gauges[0]["output"]
model(2 * x).sum().backward()
assert gauges[0]["output"] is kept
print("gauges read right and come off")

# %% [markdown]
# ## Vanishing, saturated, exploding
#
# Ten tanh layers on small pictures of clothes, with weights of standard deviation $\text{gain} / \sqrt
# {n_\text{in}}$. Between layers of one width a gain of one is Xavier's start, which kept tanh about level
# in lesson 6.5. Now we look at the gauges.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

x_all = F.avg_pool2d(train_images[:, None], 2).flatten(1)  # (5000, 1, 28, 28) -> (5000, 196)
x_all, y_all = (x_all - x_all.mean()) / x_all.std(), train_labels
width = 64


def new_model(depth, activation, gain, seed=0):
    """`depth` hidden layers of `width`, weights of standard deviation gain / sqrt(n_in), zero biases."""
    torch.manual_seed(seed)
    layers, n_in = [], x_all.shape[1]
    for n_out in [width] * depth + [len(CLASSES)]:
        linear = nn.Linear(n_in, n_out)
        nn.init.normal_(linear.weight, std=gain / n_in**0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
        n_in = n_out
    return nn.Sequential(*layers[:-1])  # no activation after the scores


# %% [markdown]
# The training loop has a place to look in: after the backward pass, when the gauges are full.


# %%
def train(model, learning_rate, n_steps, seed=0, look=None):
    """Plain SGD on random batches; returns the losses. `look(step)` is called after each backward pass."""
    generator, losses = torch.Generator().manual_seed(seed), []
    for step in range(n_steps):
        rows = torch.randint(len(x_all), (64,), generator=generator)
        loss = F.cross_entropy(model(x_all[rows]), y_all[rows])
        model.zero_grad()
        loss.backward()
        if look is not None:
            look(step)
        with torch.no_grad():
            for w in model.parameters():
                w -= learning_rate * w.grad
        losses.append(loss.item())
    return losses


# %% [markdown]
# We train with three gains, the gauges on, and keep a histogram of every tanh layer's activations and of
# its gradients' sizes, now and then. A tanh is *saturated* where it is almost $\pm 1$: its slope, and
# with it the gradient through it, is almost zero there.

# %%
depth, snapshots_every = 10, 5
bins_a, bins_g = np.linspace(-1, 1, 41), np.linspace(-9, 0, 46)  # activations; log10 of gradients
gains = {"too small": 0.5, "right": 1.0, "too large": 3.0}
films, readings, final_losses = {}, {}, {}
for name, gain in gains.items():
    model = new_model(depth, nn.Tanh, gain)
    gauges, _ = attach_gauges([layer for layer in model if isinstance(layer, nn.Tanh)])
    film = []

    def look(step, name=name, gauges=gauges, film=film):
        if step % snapshots_every == 0:
            frame = []
            for gauge in gauges:
                sizes = np.log10(gauge["gradient"].abs().numpy().ravel() + 1e-30)
                activations = np.histogram(gauge["output"].numpy(), bins_a, density=True)[0]
                frame.append((activations, np.histogram(sizes, bins_g, density=True)[0]))
            film.append(frame)
            if step == 0:
                saturated = [(gauge["output"].abs() > 0.97).double().mean().item() for gauge in gauges]
                sizes = [gauge["gradient"].square().mean().sqrt().item() for gauge in gauges]
                readings[name] = np.array(saturated), np.array(sizes)  # (depth,) each

    losses = train(model, 0.1, 300, look=look)
    films[name], final_losses[name] = film, np.mean(losses[-20:])

# %%
header = ("saturated, last", "gradient, last", "gradient, first", "loss after")
print(f"{'at the start':14s}" + "".join(f"{word:>17s}" for word in header))
for name, (saturated, sizes) in readings.items():
    print(f"{name:14s}{saturated[-1]:17.1%}{sizes[-1]:17.1e}{sizes[0]:17.1e}{final_losses[name]:17.2f}")
last = {name: sizes for name, (_, sizes) in readings.items()}
assert last["too small"][0] < 0.01 * last["too small"][-1] and final_losses["too small"] > 2.2
assert 0.2 < last["right"][0] / last["right"][-1] < 5 and final_losses["right"] < 0.8
assert last["too large"][0] > 5 * last["too large"][-1] and readings["too large"][0][-1] > 0.2

# %% [markdown]
# First the whole pipe, before the first step: in each panel a layer is a column, and the column is a
# histogram, bright where there are many. Read the upper row from left to right, as activations travel, and
# the lower one from right to left, as gradients do.


# %%
def draw_histograms(ax, histograms, bins, left, right):
    """Histograms (n, len(bins) - 1) as columns of colour, side by side from left to right."""
    extent = (left, right, bins[0], bins[-1])
    columns = np.sqrt(histograms).T  # (n, bins) -> (bins, n); the root makes rare values visible
    ax.imshow(columns, origin="lower", aspect="auto", extent=extent, cmap="viridis")


fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey="row")
for column, (name, film) in zip(axs.T, films.items()):
    activations, sizes = (np.array(histograms) for histograms in zip(*film[0]))  # (depth, bins) each
    draw_histograms(column[0], activations, bins_a, 0.5, depth + 0.5)
    draw_histograms(column[1], sizes, bins_g, 0.5, depth + 0.5)
    column[0].set_title(f"{name}: gain {gains[name]}")
    column[1].set_xlabel("layer")
axs[0, 0].set_ylabel("activations")
axs[1, 0].set_ylabel("log10 |gradient|")
fig.suptitle("At the start: signals die out, arrive, or saturate; gradients vanish, arrive, or explode")
plt.show()

# %% [markdown]
# Then one layer of each over the whole training, a column for every few steps.

# %%
fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey="row")
for column, (name, film) in zip(axs.T, films.items()):
    middle = np.array([frame[depth // 2][0] for frame in film])  # (frames, bins)
    first = np.array([frame[0][1] for frame in film])  # (frames, bins)
    draw_histograms(column[0], middle, bins_a, 0, len(film) * snapshots_every)
    draw_histograms(column[1], first, bins_g, 0, len(film) * snapshots_every)
    column[0].set_title(f"{name}: gain {gains[name]}")
    column[1].set_xlabel("step")
axs[0, 0].set_ylabel("activations, middle layer")
axs[1, 0].set_ylabel("log10 |gradient|, first layer")
fig.suptitle("Too small: nothing flows. Too large: stuck at ±1 (bright means many)")
plt.show()

# %% [markdown]
# On the left the network whispers, the first layer's gradient is next to nothing, and after the last step
# it still knows nothing. In the middle the activations spread out as it learns. On the right a good part
# of the units sit at the edges, and gradients are larger in the first layer than in the last: the pipe
# bursts on the way down.
#
# ## How a ReLU dies
#
# A ReLU unit whose input is negative for *every* example passes no gradient to its weights, so nothing
# can bring it back: it is *dead*. A few steps that are too long are enough. We shock networks of one
# hidden layer with a high rate for a few steps, count, and then train on with a good rate.


# %%
@torch.no_grad()
def silent_share(model, activation=nn.ReLU):
    """Share of hidden units whose activation is at most zero for every image."""
    silent, x = [], x_all
    for layer in model:
        x = layer(x)  # (5000, n_out)
        if isinstance(layer, activation):
            silent.append((x <= 0).all(dim=0))  # (width,)
    return torch.cat(silent).double().mean().item()


def accuracy(model):
    return (model(x_all).argmax(dim=1) == y_all).double().mean().item()


shocks = (0.1, 1.0, 2.0, 4.0)
fates = {}
for activation in (nn.ReLU, nn.LeakyReLU):
    for shock in shocks:
        rows = []
        for seed in range(4):
            model = new_model(1, activation, 2**0.5, seed)
            train(model, shock, 30, seed)
            just_after = silent_share(model, activation)
            train(model, 0.05, 150, seed + 100)
            rows.append((just_after, silent_share(model, activation), accuracy(model)))
        fates[activation, shock] = np.mean(rows, axis=0)  # (3,)

# %% [markdown]
# *Leaky ReLU* lets a hundredth of the negative side through. A leaky unit may be silent too, but its
# output still tells examples apart, and some gradient always reaches its weights.

# %%
print(f"{'':20s}{'rate':>12s}{'silent':>12s}{'later':>12s}{'accuracy':>12s}")
for (activation, shock), (just_after, later, share) in fates.items():
    print(f"{activation.__name__:20s}{shock:12.1f}{just_after:12.1%}{later:12.1%}{share:12.1%}")
dead = [fates[nn.ReLU, shock][0] for shock in shocks]
assert dead[0] == 0 and dead[1] < dead[2] < dead[3] and dead[3] > 0.2
assert fates[nn.ReLU, 4.0][1] > 0.9 * dead[3]
assert fates[nn.LeakyReLU, 4.0][2] > fates[nn.ReLU, 4.0][2] + 0.1

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for activation, style in ((nn.ReLU, "o-"), (nn.LeakyReLU, "s--")):
    left.semilogx(shocks, [fates[activation, shock][1] for shock in shocks], style, label=activation.__name__)
    right.semilogx(
        shocks, [fates[activation, shock][2] for shock in shocks], style, label=activation.__name__
    )
left.set(
    xlabel="rate of the shock", ylabel="silent units after recovery", title="A higher rate kills more ReLUs"
)
right.set(
    xlabel="rate of the shock",
    ylabel="accuracy after recovery",
    title="Leaky networks recover more",
    ylim=(0, 1),
)
left.legend()
plt.show()

# %% [markdown]
# ## The right start
#
# The other cure is not to need one. For ReLU, He initialization has the gain $\sqrt 2$; PyTorch's
# `nn.Linear` starts with $1/\sqrt 3$ unless told otherwise. Ten ReLU layers show the difference: what
# reaches the first layer, and what is learned in the same number of steps.

# %%
depths = {}
print(f"{'start':20s}{'gradient, first / last':>24s}{'loss after':>12s}")
for name, gain in (("nn.Linear's own", 3**-0.5), ("He", 2**0.5)):
    model, ratio = new_model(10, nn.ReLU, gain), []
    gauges, _ = attach_gauges([layer for layer in model if isinstance(layer, nn.ReLU)])

    def look(step, gauges=gauges, ratio=ratio):
        ratio.append((gauges[0]["gradient"].norm() / gauges[-1]["gradient"].norm()).item())

    losses = train(model, 0.05, 300, look=look)
    depths[name] = ratio[0], np.mean(losses[-20:])
    print(f"{name:20s}{ratio[0]:24.1e}{depths[name][1]:12.2f}")
assert depths["nn.Linear's own"][0] < 1e-2 < 0.3 < depths["He"][0] < 3
assert depths["He"][1] < 0.5 * depths["nn.Linear's own"][1]

# %% [markdown]
# ## Clipping, from scratch
#
# The norm is taken over *all* gradients together, so that the whole step keeps its direction:
#
# $$g \leftarrow g \cdot \min\left(1, \frac{c}{|g|}\right), \qquad
#   |g|^2 = \sum_\text{all arrays} \sum_i g_i^2 .$$


# %%
def clip_by_value(grads, limit):
    """Cut every number of every array to [-limit, limit], in place."""
    for g in grads:
        np.clip(g, -limit, limit, out=g)


def clip_by_norm(grads, limit):
    """Scale all arrays, in place, so that their common norm is at most `limit`; returns the norm before."""
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    if norm > limit:
        for g in grads:
            g *= limit / norm
    return norm


# %% [markdown]
# ## The same in PyTorch
#
# `clip_grad_norm_` and `clip_grad_value_` work on the `grad` of parameters and belong between
# `backward()` and `step()`. PyTorch divides by the norm plus a millionth, so the two agree to about that.

# %%
rng = np.random.default_rng(0)
for limit in (0.5, 100.0):
    for ours, theirs in (
        (clip_by_norm, nn.utils.clip_grad_norm_),
        (clip_by_value, nn.utils.clip_grad_value_),
    ):
        grads = [rng.normal(size=shape) for shape in ((4, 3), (1,), (7,))]
        params = [nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads]
        for w, g in zip(params, grads):
            w.grad = torch.from_numpy(g.copy())
        ours(grads, limit)
        theirs(params, limit)
        largest = max(np.abs(g - w.grad.numpy()).max() for g, w in zip(grads, params))
        print(f"{ours.__name__:16s}limit {limit:5.1f}   largest difference {largest:.1e}")
        assert largest < 1e-6

# %% [markdown]
# ## A cliff
#
# Apply one layer again and again, as recurrent networks will (chapter 11): fifty times $x \leftarrow w\,
# \sigma(x) + b$, from $x = \frac12$, and ask that $\sigma(x)$ ends at $0.7$. The derivative is carried
# along:
#
# $$\frac{dx}{dw} \leftarrow \sigma(x) + w\, \sigma'(x)\, \frac{dx}{dw}, \qquad
#   \frac{dx}{db} \leftarrow 1 + w\, \sigma'(x)\, \frac{dx}{db} .$$
#
# Where $w\,\sigma'(x) > 1$ at the start, the factor is raised to a power, and the loss has a cliff.


# %%
def repeated_layer(w, b, n_times=50, target=0.7):
    """(σ(x) - target)² after x <- w·σ(x) + b n_times from ½, and its slopes along w and b; elementwise."""
    x, dw, db = np.full(np.shape(w), 0.5), np.zeros(np.shape(w)), np.zeros(np.shape(w))
    for _ in range(n_times):
        s = 1 / (1 + np.exp(-x))
        slope = w * s * (1 - s)
        x, dw, db = w * s + b, s + slope * dw, 1 + slope * db
    s = 1 / (1 + np.exp(-x))
    outer = 2 * (s - target) * s * (1 - s)
    return (s - target) ** 2, outer * dw, outer * db


w, b, nudge = 4.0, -2.2, 1e-6
_, dw, db = repeated_layer(w, b)
slopes = [
    (repeated_layer(w + nudge, b)[0] - repeated_layer(w - nudge, b)[0]) / (2 * nudge),
    (repeated_layer(w, b + nudge)[0] - repeated_layer(w, b - nudge)[0]) / (2 * nudge),
]
print(f"slopes {dw:.6f} {db:.6f}   nudged {slopes[0]:.6f} {slopes[1]:.6f}")
np.testing.assert_allclose([dw, db], slopes, rtol=1e-5)

# %% [markdown]
# Two walks from one place with one rate, the second with clipping by norm. Where the first meets the
# cliff, the gradient throws it far out onto a plateau, and there it stays.

# %%
walks = {}
for name, limit in (("plain", np.inf), ("clipped", 0.5)):
    place, path, walk_losses, norms = np.array([5.5, -2.8]), [], [], []
    for _ in range(300):
        loss, dw, db = repeated_layer(*place)
        grads = [np.array([dw, db])]
        norms.append(clip_by_norm(grads, limit))
        path.append(place)
        walk_losses.append(loss)
        place = place - 0.2 * grads[0]
    walks[name] = np.array(path), np.array(walk_losses)
    jump = np.linalg.norm(np.diff(path, axis=0), axis=1).max()
    print(f"{name:8s}steepest gradient {max(norms):8.1f}   longest step {jump:6.3f}   last loss {loss:.4f}")
assert walks["plain"][1][-1] > 0.05 > 0.01 > walks["clipped"][1][-1]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
ws, bs = np.meshgrid(np.linspace(3.5, 7, 160), np.linspace(-3.5, 0.7, 160))
drawn = left.contourf(ws, bs, repeated_layer(ws, bs)[0], levels=20, cmap="viridis")
fig.colorbar(drawn, ax=left, label="loss")
for (name, (path, walk_losses)), style, color in zip(walks.items(), ("o--", "s-"), ("white", "C1")):
    left.plot(*path.T, style, color=color, markersize=3, linewidth=0.8, label=name)
    right.semilogy(walk_losses, style[1:], color="C0" if name == "plain" else "C1", label=name)
left.set(xlabel="w", ylabel="b", title="One step at the cliff undoes the walk")
left.legend(facecolor="0.5", labelcolor="white")
right.set(xlabel="step", ylabel="loss", title="Clipped, it stays and arrives")
right.legend()
plt.show()

# %% [markdown]
# ## What to remember
#
# - Hooks put a gauge on any layer; remove them when you are done.
# - Look in both directions: activations on the way up, gradients on the way down.
# - A ReLU that is negative for all data is dead. Too high a rate kills, leaky networks recover more, He
#   initialization with a sane rate prevents.
# - Clip by the norm over all parameters: it keeps the direction and takes the force out of a cliff.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Film ten ReLU layers with gain $\sqrt 2$ and with gain 1. Which histograms drift?
# 2. Start all biases at $-1$. How many units are silent before any shock?
# 3. Clip the walk by value instead. Does it arrive at the same place?
#
# ## Sources
#
# - R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML
#   2013, sections 2.3 and 3.2: the cliff and clipping by norm.
# - X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
#   AISTATS 2010, section 3: saturation layer by layer.
# - A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the data, MIT licence.
