# %% [markdown]
# # 7.5 Gradient health: measuring what passes through every layer
#
# A deep network does not learn, and all that we see is a loss that does not fall. Somewhere among its
# layers the signal has become too small or too large, on the way up (*activations*, the outputs of the
# layers) or on the way back (gradients). From the outside nobody can tell where. PyTorch lets us attach a
# measuring device to any layer, and then a glance at the histograms shows it. In teams that train large
# models such curves, above all the length of the gradient, are watched day and night.
#
# **You will build** gauges for activations and gradients, see signals vanish, saturate and explode, count
# units that no longer work, and put gradient clipping into a training loop. **You need** activations and
# their slopes (5.2), weight initialization (6.5) and the checklist of tests (7.4). **It takes**
# about 20 seconds.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# A gradient that is too long can be shortened before the step. Let $g = (3, 4)$ and let $1$ be the
# longest gradient that we allow. *Clipping by norm* shortens the whole vector, *clipping by value* cuts
# each number by itself:
#
# $$\begin{aligned}
#   |g| &= \sqrt{3^2 + 4^2} = 5 \\
#   \text{by norm:} \quad g \cdot \tfrac{1}{5} &= (0.6, 0.8) & & \text{length } 1, \text{ same direction} \\
#   \text{by value:} \quad (\min(3, 1), \min(4, 1)) &= (1, 1) & & \text{length } 1.4, \text{ turned}
# \end{aligned}$$
#
# If a gradient is within the limit, neither of them changes it. Clipping by norm keeps the direction of
# the step, and is the usual one.

# %%
paper_gradient = np.array([3.0, 4.0])
by_norm = paper_gradient * min(1, 1 / np.linalg.norm(paper_gradient))
by_value = np.clip(paper_gradient, -1, 1)
print("by norm", by_norm, "  by value", by_value)

# %% [markdown]
# ## A gauge
#
# A *hook* is a function that PyTorch calls when something passes by. A forward hook on a module sees its
# output, and a hook on that output, a tensor, sees the gradient when it comes back. Together they are a
# gauge. A hook stays until it is removed, and slows every pass down, so we write the gauges as something
# that is used in a `with` statement: at its end they come off.


# %%
class Gauge:
    """What one layer gave out in the last forward pass (`output`) and the gradient there (`gradient`)."""

    def __init__(self):
        self.output = None
        self.gradient = None

    def record_gradient(self, gradient):
        self.gradient = gradient

    def record(self, module, inputs, output):
        self.output = output.detach()
        if output.requires_grad:
            output.register_hook(self.record_gradient)


class Gauges:
    """`with Gauges(layers) as gauges:` attaches a gauge to each layer and removes all of them at the end."""

    def __init__(self, layers):
        self.layers = layers

    def __enter__(self):
        """Called at the beginning of the `with` statement; what it returns stands after `as`."""
        gauges = []
        self.handles = []  # what PyTorch returns for a hook: it can remove that hook again
        for layer in self.layers:
            gauge = Gauge()
            gauges.append(gauge)
            self.handles.append(layer.register_forward_hook(gauge.record))
        return gauges

    def __exit__(self, *error):
        """Called at its end, also after an error, which Python describes in three arguments."""
        for handle in self.handles:
            handle.remove()


# %% [markdown]
# Do the gauges read right? On a small network the gradients must be those that `autograd.grad` gives for
# the layers' outputs, and after the `with` statement nothing may be recorded any more.

# %%
torch.manual_seed(0)
small_model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh()).double()
x = torch.randn(5, 3, dtype=torch.float64)
cotangent = torch.randn(5, 2, dtype=torch.float64)  # the gradient of a loss at the outputs
with Gauges(small_model) as gauges:
    (small_model(x) * cotangent).sum().backward()
outputs = [x]
for layer in small_model:  # a second time, without gauges
    outputs.append(layer(outputs[-1]))
expected = torch.autograd.grad((outputs[-1] * cotangent).sum(), outputs[1:])
for gauge, output, gradient in zip(gauges, outputs[1:], expected, strict=True):
    torch.testing.assert_close(gauge.output, output)
    torch.testing.assert_close(gauge.gradient, gradient, rtol=1e-10, atol=1e-12)
before = gauges[0].output
small_model(2 * x).sum().backward()
assert gauges[0].output is before
print("the gauges read right and come off")

# %% [markdown]
# ## Vanishing, saturated, exploding
#
# Now a deep network: ten tanh layers on small pictures of clothes, its weights with the standard
# deviation $\text{gain} / \sqrt{n_\text{in}}$. With a gain of one, layers of one width hand on signals of
# about the same size (6.5). What do you expect if the gain is one half, and what if it is three? We train
# with all three, and look at the gauges after the backward pass. The training loop is a _generator_: it
# hands each step to a `for` loop after its backward pass (`yield`), waits until the body of that loop has
# looked, and then takes the step.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)

pooled = F.avg_pool2d(train_images[:, None], 2).flatten(1)  # (5000, 1, 28, 28) -> (5000, 196)
x_all = (pooled - pooled.mean()) / pooled.std()  # (5000, 196)
y_all = train_labels  # (5000,)
n_hidden = 64


def new_model(depth, activation, gain, seed=0):
    """`depth` hidden layers, weights of standard deviation gain / sqrt(n_in), zero biases, 10 classes."""
    torch.manual_seed(seed)
    layers = []
    n_in = x_all.shape[1]
    for n_out in [n_hidden] * depth + [10]:
        linear = nn.Linear(n_in, n_out)
        nn.init.normal_(linear.weight, std=gain / n_in**0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
        n_in = n_out
    return nn.Sequential(*layers[:-1])  # no activation after the scores


def training(model, learning_rate, n_steps, seed=0):
    """Plain SGD on random batches of 64; yields (step, loss) after each backward pass, before the step."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    for step in range(n_steps):
        rows = torch.randint(len(x_all), (64,), generator=generator)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x_all[rows]), y_all[rows])
        loss.backward()
        yield step, loss.item()
        optimizer.step()


def train(model, learning_rate, n_steps, seed=0):
    """The same without looking; returns the losses."""
    return [loss for _, loss in training(model, learning_rate, n_steps, seed)]


# %% [markdown]
# At each look we take three histograms of every layer: of its activations, of the sizes of the gradients
# at its output, and of the sizes of its weights' gradients, which are what the optimizer gets.

# %%
DEPTH = 10
GAINS = {"too small": 0.5, "right": 1.0, "too large": 3.0}
activation_bins = np.linspace(-1, 1, 41)
size_bins = np.linspace(-9, 0, 46)  # of log10 |gradient|


def log_sizes(gradient):
    """log10 of the sizes of all numbers of a tensor, as an array (n,)."""
    return np.log10(gradient.abs().numpy().ravel() + 1e-30)


def snapshot(gauges, weights):
    """Histograms of all layers: activations, gradients at the outputs, gradients of the weights."""
    return {
        "activations": [
            np.histogram(gauge.output.numpy(), activation_bins, density=True)[0] for gauge in gauges
        ],
        "gradients at outputs": [
            np.histogram(log_sizes(g.gradient), size_bins, density=True)[0] for g in gauges
        ],
        "gradients of weights": [
            np.histogram(log_sizes(w.grad), size_bins, density=True)[0] for w in weights
        ],
    }


films = {}  # gain: snapshots of every fifth step
readings = {}
header = ("saturated, last", "gradient, last", "gradient, first", "loss after")
print(f"{'at the start':14s}" + "".join(f"{word:>17s}" for word in header))
for name, gain in GAINS.items():
    model = new_model(DEPTH, nn.Tanh, gain)
    tanhs = [layer for layer in model if isinstance(layer, nn.Tanh)]
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)][:DEPTH]
    films[name] = []
    losses = []
    with Gauges(tanhs) as gauges:
        for step, loss in training(model, 0.1, 300):
            losses.append(loss)
            if step % 5 == 0:
                films[name].append(snapshot(gauges, weights))
            if step == 0:
                saturated = (gauges[-1].output.abs() > 0.97).double().mean().item()
                sizes = [gauge.gradient.square().mean().sqrt().item() for gauge in gauges]
    readings[name] = {
        "saturated": saturated,
        "last": sizes[-1],
        "first": sizes[0],
        "loss": np.mean(losses[-20:]),
    }
    row = readings[name]
    print(f"{name:14s}{saturated:17.1%}{row['last']:17.1e}{row['first']:17.1e}{row['loss']:17.2f}")

# %% [markdown]
# A tanh unit is saturated (5.2) if its output is almost $\pm 1$: its slope, and with it the gradient that
# it passes on, is then almost zero. Now the picture before the first step. In each panel a layer is a
# column, and the column is a histogram, bright where there are many. Read the upper row from left to
# right, as activations travel, and the two rows below from right to left, as gradients do.


# %%
def draw_histograms(ax, histograms, bins, left, right):
    """Histograms (n, len(bins) - 1) as columns of colour, side by side from left to right."""
    columns = np.sqrt(np.array(histograms)).T  # (n, bins) -> (bins, n); the root makes rare values visible
    extent = (left, right, bins[0], bins[-1])
    ax.imshow(columns, origin="lower", aspect="auto", extent=extent, cmap="viridis")


fig, axs = plt.subplots(3, 3, figsize=(10, 8.4), layout="constrained", sharex=True, sharey="row")
for column, (name, film) in zip(axs.T, films.items()):
    draw_histograms(column[0], film[0]["activations"], activation_bins, 0.5, DEPTH + 0.5)
    draw_histograms(column[1], film[0]["gradients at outputs"], size_bins, 0.5, DEPTH + 0.5)
    draw_histograms(column[2], film[0]["gradients of weights"], size_bins, 0.5, DEPTH + 0.5)
    column[0].set_title(f"{name}: gain {GAINS[name]}")
    column[2].set_xlabel("layer")
for ax, label in zip(axs[:, 0], ("activations", "log10 |gradient|, outputs", "log10 |gradient|, weights")):
    ax.set_ylabel(label)
plt.show()

# %% [markdown]
# On the left the activations shrink to zero from layer to layer, and so do the gradients on their way
# back; the first layer's weights get about nothing. In the middle both keep their size. On the right a
# large part of the activations sits at $\pm 1$, and the gradients _grow_ on their way back, because the
# large weights multiply them by more than the flat slopes take away.
#
# How does it go on? The next figure follows one layer of each network through the training, with one
# column for every fifth step.

# %%
fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey="row")
for column, (name, film) in zip(axs.T, films.items()):
    middle = [frame["activations"][DEPTH // 2] for frame in film]
    first = [frame["gradients of weights"][0] for frame in film]
    draw_histograms(column[0], middle, activation_bins, 0, 5 * len(film))
    draw_histograms(column[1], first, size_bins, 0, 5 * len(film))
    column[0].set_title(f"{name}: gain {GAINS[name]}")
    column[1].set_xlabel("step")
axs[0, 0].set_ylabel("activations, middle layer")
axs[1, 0].set_ylabel("log10 |gradient|,\nweights of the first layer")
plt.show()

# %% [markdown]
# With the small gain hardly anything moves in 300 steps, and the loss is still that of knowing nothing.
# With the right one the activations spread out as the network learns. With the large gain many units stay
# at $\pm 1$, but not all of them, and this network learns as well, only less (the losses are in the table
# above; with three other seeds it was the same). So a histogram at the edges is a warning and no verdict.
#
# ## Units that no longer work
#
# A ReLU unit is zero wherever its input is negative. If that is so for _every_ example, no gradient
# reaches its weights. A unit of the first layer can then never come back, because its inputs are fixed;
# it is dead (5.2). (Deeper units may come back, since the layers below them still move.) A few steps that
# are too long are enough. We shock networks with one hidden layer by thirty steps at a high rate, then
# train on with a good one, and count two things: units that are silent for all images, and units that
# hardly fire, for less than one image in a hundred.
#
# If such a network reads badly, what is to blame? There are four controls, fresh networks to which only a
# part of the damage is done. The first loses as many units as are silent, the second as many as hardly
# fire. The third gets the first layer of the network just after its shock and keeps a fresh last layer,
# and with the fourth it is the other way round. All of them train for the same 150 good steps. Which of
# the four will read as badly as the shocked network?


# %%
@torch.no_grad()
def firing_shares(model):
    """For each unit of a model with one hidden layer, the share of images for which it fires."""
    return (model[:2](x_all) > 0).double().mean(dim=0).numpy()  # (5000, n_hidden) -> (n_hidden,)


@torch.no_grad()
def accuracy(model):
    """Share of the 5,000 images that are classified correctly."""
    return (model(x_all).argmax(dim=1) == y_all).double().mean().item()


def fate(shock, seed):
    """One network after a shock at this rate and 150 good steps, and its four controls: {name: number}."""
    fresh = [new_model(1, nn.ReLU, 2**0.5, seed) for _ in range(5)]  # five times the same network
    shocked, lost_silent, lost_rare, first_shocked, last_shocked = fresh
    length = shocked[0].weight.norm().item()
    train(shocked, shock, 30, seed)
    numbers = {"growth": shocked[0].weight.norm().item() / length}
    first_shocked[0].load_state_dict(shocked[0].state_dict())
    last_shocked[2].load_state_dict(shocked[2].state_dict())
    train(shocked, 0.05, 150, seed + 100)
    shares = firing_shares(shocked)
    numbers |= {"silent": np.mean(shares == 0), "hardly fire": np.mean(shares < 0.01)}
    numbers["shocked"] = accuracy(shocked)
    with torch.no_grad():
        lost_silent[0].bias[: np.sum(shares == 0)] = -1e6  # so many units never fire
        lost_rare[0].bias[: np.sum(shares < 0.01)] = -1e6
    controls = {"lost silent": lost_silent, "lost rare": lost_rare}
    controls |= {"first layer": first_shocked, "last layer": last_shocked}
    for name, control in controls.items():
        train(control, 0.05, 150, seed + 100)
        numbers[name] = accuracy(control)
    return numbers


SHOCKS = (0.1, 1.0, 2.0, 4.0)
N_SHOCK_SEEDS = 4
COLUMNS = ("silent", "hardly fire", "shocked", "lost silent", "lost rare", "first layer", "last layer")
fates = {}
print(f"{'means of four seeds':20s}" + "".join(f"{name:>12s}" for name in COLUMNS))
for shock in SHOCKS:
    rows = [fate(shock, seed) for seed in range(N_SHOCK_SEEDS)]
    fates[shock] = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    print(f"ReLU, rate {shock:<9g}" + "".join(f"{fates[shock][name]:12.1%}" for name in COLUMNS))

# %% [markdown]
# Now the same shocks for leaky ReLU (5.2), which lets a hundredth of the negative side through, so that
# some gradient always gets to the weights.

# %%
leaky = {}
for shock in SHOCKS:
    rows = []
    for seed in range(N_SHOCK_SEEDS):
        model = new_model(1, nn.LeakyReLU, 2**0.5, seed)
        train(model, shock, 30, seed)
        train(model, 0.05, 150, seed + 100)
        rows.append(accuracy(model))
    leaky[shock] = np.array(rows)  # (seeds,)
    print(f"leaky ReLU, rate {shock:<6g} accuracy {leaky[shock].mean():.1%}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.semilogx(SHOCKS, [fates[shock]["silent"] for shock in SHOCKS], "o-", label="silent for all images")
left.semilogx(SHOCKS, [fates[shock]["hardly fire"] for shock in SHOCKS], "s--", label="fire for under 1 %")
left.set(xlabel="learning rate of the shock", ylabel="share of hidden units", ylim=(-0.03, 1.03))
left.set_title("ReLU units after the shock and 150 good steps")
left.legend()
names = {
    "last layer": "control: last layer shocked",
    "lost silent": "control: silent units lost",
    "lost rare": "control: rare units lost",
    "first layer": "control: first layer shocked",
}
for (name, label), style in zip(names.items(), ("v:", "^:", "d-.", "x-.")):
    accuracies = [fates[shock][name] for shock in SHOCKS]
    right.semilogx(SHOCKS, accuracies, style, color="0.4", linewidth=1, label=label)
right.semilogx(SHOCKS, [fates[shock]["shocked"] for shock in SHOCKS], "o-", label="ReLU, shocked")
right.semilogx(SHOCKS, [leaky[shock].mean() for shock in SHOCKS], "s--", label="leaky ReLU, shocked")
right.set(
    xlabel="learning rate of the shock",
    ylabel="accuracy",
    ylim=(0, 1),
    title="Accuracy on the training images (means of four seeds)",
)
right.legend(fontsize=8, loc="lower left")
plt.show()

# %% [markdown]
# The dead units do not explain the damage. The control that has lost as many units reads nearly as well
# as an undamaged network, because 64 units are more than it needs. The dashed curve on the left is a
# better suspect, since after the two largest shocks most units hardly fire. Counting only the units that
# are silent for all images would have missed them. But they are not the whole damage either, because the
# control that has lost as many of them still reads about twice as many images as the shocked network, or
# more.
#
# The two other controls tell where the rest is. With a shocked last layer alone the network recovers, and
# with a shocked first layer alone it reads as badly as the shocked network. So the damage sits in the
# weights of the first layer, and that includes the weights of the units that still fire. The long steps
# have made these weights several times as long as they were. That is probably why 150 good steps do not
# repair them, because steps of a usual length hardly turn such long weights. Leaky units recover better
# after the two largest shocks here, but not fully.
#
# So the share of images for which a unit fires is a sign that something is wrong, which a gauge can
# measure, but it is not the whole fault. The cure is not to take such steps: a suitable start (6.5), a
# rate below the limit (7.1), a warm-up (7.3), or the following. (Four other seeds gave the same picture.)
#
# ## Clipping in a training loop
#
# The norm is taken over _all_ gradients together, so that the whole step keeps its direction:
#
# $$g \leftarrow g \cdot \min\left(1, \frac{c}{|g|}\right), \qquad
#   |g|^2 = \sum_\text{all arrays} \sum_i g_i^2 .$$


# %%
def clip_by_value(grads, limit):
    """New arrays with every number cut to [-limit, limit]."""
    return [np.clip(g, -limit, limit) for g in grads]


def clip_by_norm(grads, limit):
    """New arrays, scaled so that their common norm is at most `limit`; and the norm before."""
    norm = np.sqrt(sum(np.sum(np.asarray(g, dtype=np.float64) ** 2) for g in grads))
    scale = float(limit / norm) if norm > limit else 1.0  # a Python number keeps float32 as it is
    return [g * scale for g in grads], float(norm)


# %% [markdown]
# In PyTorch `clip_grad_norm_` changes the gradients of the parameters in place. It belongs between
# `backward()` and `step()`, and it returns the norm _before_ clipping, which is what one writes into the
# log. (PyTorch divides by the norm plus a millionth, so the two agree to about that.)

# %%
for limit in (0.5, 100.0):
    grads = [rng.normal(size=shape) for shape in ((4, 3), (1,), (7,))]
    params = [nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads]
    for w, g in zip(params, grads):
        w.grad = torch.from_numpy(g.copy())
    clipped, norm = clip_by_norm(grads, limit)
    torch_norm = nn.utils.clip_grad_norm_(params, limit).item()
    largest = max(np.abs(g - w.grad.numpy()).max() for g, w in zip(clipped, params))
    print(f"limit {limit:5.1f}   norm {norm:.4f} and {torch_norm:.4f}   largest difference {largest:.1e}")
    assert largest < 1e-6 and abs(norm - torch_norm) < 1e-9

# %% [markdown]
# When does it help, and how is $c$ chosen? Suppose that one batch in fifty is broken: its images are a
# hundred times too bright, as after a fault of the camera. We train a network with three hidden layers,
# first without clipping and with the norms in the log.

# %%
BROKEN_EVERY = 50


def clipped_training(limit, seed, n_steps=400, learning_rate=0.1):
    """Losses on good images (every fifth step) and the norms of all steps; limit np.inf: no clipping."""
    model = new_model(3, nn.ReLU, 2**0.5, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    norms = []
    for step in range(n_steps):
        rows = torch.randint(4000, (64,), generator=generator)
        images = x_all[rows]
        if step % BROKEN_EVERY == BROKEN_EVERY - 1:
            images = 100 * images
        optimizer.zero_grad()
        F.cross_entropy(model(images), y_all[rows]).backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), limit).item())
        optimizer.step()
        if step % 5 == 4:
            with torch.no_grad():
                losses.append(F.cross_entropy(model(x_all[4000:]), y_all[4000:]).item())
    return np.array(losses), np.array(norms)


_, usual_norms = clipped_training(np.inf, seed=9, n_steps=BROKEN_EVERY - 1)
quantiles = np.quantile(usual_norms, [0.5, 0.9, 1.0])
LIMIT = float(np.round(quantiles[1], 1))
print(
    "norms of the first steps, before any broken batch: median {:.1f}, 90 % {:.1f}, largest {:.1f}".format(
        *quantiles
    )
)
print(f"the limit that follows: {LIMIT}")

clip_runs = {}
print(f"{'':12s}validation loss at the end, four seeds")
for name, limit in (("plain", np.inf), ("clipped", LIMIT)):
    clip_runs[name] = [clipped_training(limit, seed) for seed in range(4)]
    print(f"{name:12s}" + "".join(f"{losses[-1]:10.3f}" for losses, _ in clip_runs[name]))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, style, color in (("plain", "--", "C1"), ("clipped", "-", "C0")):
    losses, norms = clip_runs[name][0]
    left.semilogy(np.maximum(norms, 1e-3), style, color=color, linewidth=0.8, label=name)
    right.semilogy(np.arange(5, 401, 5), losses, style, color=color, label=name)
left.axhline(LIMIT, color="0.5", linewidth=0.8, label="limit")
left.set(xlabel="step", ylabel="norm of the gradient, before clipping", title="The log (one seed)")
left.legend()
right.set(
    xlabel="step", ylabel="validation loss (nats)", title=f"One batch in {BROKEN_EVERY} is broken (one seed)"
)
right.legend()
plt.show()

# %% [markdown]
# The log shows what happened: every fiftieth norm is far above all others (note the axis). Without
# clipping the first such step throws the network so far that it does not recover in these 400 steps, on
# all four seeds. (If nan is printed, numbers have overflowed.) With clipping that step is as long as a
# usual long one and does next to no harm.
#
# The limit was chosen from the log of an undisturbed stretch, so that about one of its steps in ten would
# be shortened; later the norms are smaller, and of all good steps only a few in a hundred are. If $c$ is
# far above all norms, clipping does nothing; if it is below most of them, every step is shortened, and one
# has in truth lowered the learning rate. Many recipes for large models write $c = 1$, which suits their
# scale. And clipping hides faults. A broken camera should be found, and it is found in the log, so log the
# norm.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert np.allclose(by_norm, [0.6, 0.8]), "clipping by norm keeps the direction"
assert np.allclose(by_value, [1, 1]), "clipping by value changes it"
small, right_gain, large = readings["too small"], readings["right"], readings["too large"]
assert small["first"] < 0.01 * small["last"], "with a small gain the gradients vanish on their way back"
assert small["loss"] > 2.2, "and the network learns nothing"
assert 0.2 < right_gain["first"] / right_gain["last"] < 5, "with a gain of one the gradients keep their size"
assert large["first"] > 5 * large["last"], "with a large gain the gradients grow on their way back"
assert large["saturated"] > 0.2, "and many units are saturated"
assert right_gain["loss"] < large["loss"] < 1.5, "it learns, but less than with a gain of one"
for shock in (2.0, 4.0):
    means = fates[shock]
    assert means["silent"] < 0.5 < means["hardly fire"], "fewer than half are silent, most hardly fire"
    assert means["lost silent"] > 0.7 > 0.45 > means["shocked"], "the silent units do not explain the damage"
    assert means["lost rare"] > 1.5 * means["shocked"], "nor do the units that hardly fire, by themselves"
    assert means["last layer"] > 0.65, "with a shocked last layer alone the network recovers"
    assert means["first layer"] < 0.45, "with a shocked first layer alone it does not"
    assert means["growth"] > 3, "the first layer's weights have become several times as long"
    assert leaky[shock].mean() > means["shocked"] + 0.1, f"shock {shock}: leaky units recover better"
    assert leaky[shock].mean() < means["lost silent"] - 0.1, f"shock {shock}: but not fully"
for _, norms in clip_runs["plain"]:
    assert np.nanmax(norms) > 10 * LIMIT, "a broken batch has a gradient far above the limit"
for _, norms in clip_runs["clipped"]:
    is_broken = np.arange(len(norms)) % BROKEN_EVERY == BROKEN_EVERY - 1
    assert norms[is_broken].min() > 3 * norms[~is_broken].max(), "every fiftieth norm is far above all others"
    assert 0.01 < np.mean(norms[~is_broken] > LIMIT) < 0.1, "a few good steps in a hundred are shortened"
plain_ends = np.nan_to_num([losses[-1] for losses, _ in clip_runs["plain"]], nan=np.inf)
clipped_ends = [losses[-1] for losses, _ in clip_runs["clipped"]]
assert min(plain_ends) > 1.5, "without clipping none of the four networks recovers"
assert max(clipped_ends) < 0.9, "with clipping all four learn"

# %% [markdown]
# ## Going further
#
# Where steep gradients come from without any broken data; lesson 11.2 needs it.
#
# ### A cliff
#
# Apply one layer again and again, as recurrent networks do (11.2): fifty times $x \leftarrow w\,\sigma(x)
# + b$, beginning with $x = \frac12$, where $\sigma$ is the sigmoid (5.2). The loss asks that $\sigma(x)$
# ends at $0.7$. By the chain rule the derivatives are carried along:
#
# $$\frac{dx}{dw} \leftarrow \sigma(x) + w\, \sigma'(x)\, \frac{dx}{dw}, \qquad
#   \frac{dx}{db} \leftarrow 1 + w\, \sigma'(x)\, \frac{dx}{db} .$$
#
# If $w\,\sigma'(x) > 1$, the derivative grows in each repetition, and the loss has a cliff.


# %%
def repeated_layer(w, b, n_times=50, target=0.7):
    """(σ(x) - target)² after x <- w·σ(x) + b n_times from ½, and its slopes along w and b; elementwise."""
    x = np.full(np.shape(w), 0.5)
    dw = np.zeros(np.shape(w))
    db = np.zeros(np.shape(w))
    for _ in range(n_times):
        s = 1 / (1 + np.exp(-x))
        factor = w * s * (1 - s)
        x, dw, db = w * s + b, s + factor * dw, 1 + factor * db
    s = 1 / (1 + np.exp(-x))
    outer = 2 * (s - target) * s * (1 - s)
    return (s - target) ** 2, outer * dw, outer * db


h = 1e-6
loss, dw, db = repeated_layer(4.0, -2.2)
nudged_w = (repeated_layer(4.0 + h, -2.2)[0] - repeated_layer(4.0 - h, -2.2)[0]) / (2 * h)
nudged_b = (repeated_layer(4.0, -2.2 + h)[0] - repeated_layer(4.0, -2.2 - h)[0]) / (2 * h)
print(f"slopes {dw:.6f} {db:.6f}   by central differences {nudged_w:.6f} {nudged_b:.6f}")
np.testing.assert_allclose([dw, db], [nudged_w, nudged_b], rtol=1e-5)

# %% [markdown]
# Two walks from one place at one rate, the second with clipping by norm.

# %%
walks = {}
for name, limit in (("plain", np.inf), ("clipped", 0.5)):
    place = np.array([5.5, -2.8])
    path = []
    walk_losses = []
    for _ in range(300):
        loss, dw, db = repeated_layer(*place)
        (step_gradient,), _ = clip_by_norm([np.array([dw, db])], limit)
        path.append(place)
        walk_losses.append(loss)
        place = place - 0.2 * step_gradient
    walks[name] = {"path": np.array(path), "losses": np.array(walk_losses)}
    longest = np.linalg.norm(np.diff(path, axis=0), axis=1).max()
    print(f"{name:8s}longest step {longest:6.3f}   last loss {walk_losses[-1]:.4f}")

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
ws, bs = np.meshgrid(np.linspace(3.5, 7, 160), np.linspace(-3.5, 0.7, 160))
for ax, (name, walk) in zip(axes, walks.items()):
    drawn = ax.contourf(ws, bs, repeated_layer(ws, bs)[0], levels=20, cmap="viridis")
    ax.plot(walk["path"][:, 0], walk["path"][:, 1], "o-", color="C1", markersize=3, linewidth=0.8)
    ax.plot(*walk["path"][0], "s", color="white", markersize=7)
    ax.set(xlabel="w", ylabel="b", title=f"{name} (white square: start)")
fig.colorbar(drawn, ax=axes[1], label="loss")
for (name, walk), style in zip(walks.items(), ("--", "-")):
    axes[2].semilogy(walk["losses"], style, label=name)
axes[2].set(xlabel="step", ylabel="loss", title="Loss of the two walks")
axes[2].legend()
plt.show()

# %% [markdown]
# The plain walk goes along well for about a hundred steps. Then it meets the cliff, the gradient throws
# it far out onto a plateau beyond it, where there is hardly any slope, and there it stays. The clipped
# walk meets the same cliff, takes a step of ordinary length, and arrives.

# %%
step_sizes = {name: np.linalg.norm(np.diff(walk["path"], axis=0), axis=1) for name, walk in walks.items()}
assert 60 < step_sizes["plain"].argmax() < 140, "the plain walk goes along well for about a hundred steps"
assert step_sizes["clipped"].max() <= 0.2 * 0.5 * 1.001, "no clipped step is longer than rate times limit"
assert walks["plain"]["losses"][-1] > 0.05, "the plain walk is thrown out and stays there"
assert walks["clipped"]["losses"][-1] < 0.01, "the clipped walk arrives"

# %% [markdown]
# ## What to remember
#
# - Hooks put a gauge on any layer; take them off when you are done.
# - Look in both directions: activations on the way up, gradients on the way back, and the gradients of
#   the weights, which are what the optimizer gets.
# - Count for how many examples a unit fires. Steps that are too long leave many units that never or hardly
#   ever fire, and they spoil the weights of the others, too.
# - Clip by the norm of all gradients together, between `backward()` and `step()`, choose the limit from
#   the log, and log the returned norm.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `GAINS = {"too small": 0.8, "right": 1.0, "too large": 1.5}`. Which of the three still learn?
#    Look at the printed table and the first figure.
# 2. Break every second batch: `BROKEN_EVERY = 2`. The limit is chosen from the steps before the first
#    broken batch, and there is only one. Does clipping still save the training? Read the printed losses.
# 3. From a blank cell at the end: start a network of one hidden layer with all hidden biases at $-3$,
#    train it for 150 steps at a rate of $0.05$, and use `firing_shares` before and after. Compare with a
#    network that starts at zero.
#
# ## Sources
#
# - X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
#   AISTATS 2010, section 3: saturation layer by layer. Reproduced: "with a small gain the gradients
#   vanish on their way back".
# - A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013:
#   leaky units.
# - L. Lu, Y. Shin, Y. Su, G. Karniadakis, "Dying ReLU and initialization", 2020.
# - R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML
#   2013: the cliff and clipping by norm. Reproduced: "the clipped walk arrives".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the data, MIT licence.
