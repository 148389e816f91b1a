# %% [markdown]
# # 5.2 Activations: what bends a network, and what stops it from learning
#
# A light switch is on or off. A dimmer can be turned a little, and the room gets a little brighter.
# Training by gradients needs dimmers, because it asks how the loss changes if a weight changes a little
# (2.4). The step function of the perceptron (5.1) is a switch, because almost everywhere the answer is
# "not at all".
#
# The function that turns a neuron's score into its output is its activation. It has to bend, since a stack
# of layers without one is a single linear layer (5.3), and it has to have a slope, or nothing is learned.
# Of the many that have been tried, networks for images mostly use one called ReLU, and large language
# models use its smooth relatives GELU and SiLU. What is the difference, and which should we take?
#
# **You will build** seven activations with their slopes, check them against PyTorch, see where each stops
# learning, and compare them on handwritten digits, each at its own best learning rate. **You need**
# derivatives (2.3), the perceptron (5.1) and training in PyTorch (4.4).

# %%
import math
import time
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
# The sigmoid (3.2) turns any score into a number between $0$ and $1$:
#
# $$\sigma(x) = \frac{1}{1 + e^{-x}} .$$
#
# Its slope can be computed from its own output. By the chain rule (2.3), $1/u$ has the slope $-1/u^2$, and
# $u = 1 + e^{-x}$ has the slope $-e^{-x}$, so the two minus signs cancel:
#
# $$\begin{aligned}
#   \sigma'(x) &= \frac{e^{-x}}{(1 + e^{-x})^2}
#     = \frac{1}{1 + e^{-x}} \cdot \frac{e^{-x}}{1 + e^{-x}} = \sigma(x)\, (1 - \sigma(x)) \\
#   \text{at } x = 0: \quad \sigma &= \tfrac12, \quad \sigma' = \tfrac12 \cdot \tfrac12 = \tfrac14 \\
#   \text{at } x = \ln 3: \quad \sigma &= \tfrac{1}{1 + 1/3} = \tfrac34, \quad
#     \sigma' = \tfrac34 \cdot \tfrac14 = \tfrac{3}{16}
# \end{aligned}$$
#
# A product $s (1 - s)$ is largest at $s = \frac12$, so the sigmoid is never steeper than $\frac14$. This
# number will matter, because a gradient that passes back through two layers of sigmoids is multiplied by
# two such slopes.

# %%
for score, expected, expected_slope in ((0.0, 1 / 2, 1 / 4), (math.log(3), 3 / 4, 3 / 16)):
    output = 1 / (1 + math.exp(-score))
    print(f"x {score:.4f}   sigmoid {output:.4f}   slope {output * (1 - output):.4f}")
    assert math.isclose(output, expected) and math.isclose(output * (1 - output), expected_slope)

# %% [markdown]
# ## A stable sigmoid
#
# Typed as it stands, the formula fails for very negative scores: at $x = -10\,000$ it asks for
# $e^{10\,000}$, which is larger than any float, although the answer is plainly $0$. The remedy is to
# compute only exponentials of negative numbers, which are at most $1$. For $x \ge 0$ the formula does so
# already. For $x < 0$ we multiply its top and bottom by $e^x$:
#
# $$\sigma(x) = \frac{1}{1 + e^{-|x|}} \;\; (x \ge 0), \qquad
#   \sigma(x) = \frac{e^{-|x|}}{1 + e^{-|x|}} \;\; (x < 0), \qquad
#   \sigma'(x) = \frac{e^{-|x|}}{(1 + e^{-|x|})^2} .$$


# %%
def as_float(x):
    """x as an array of floats: float32 and float64 stay what they are, whole numbers become floats."""
    x = np.asarray(x)
    return x.astype(np.result_type(x, np.float32), copy=False)


def sigmoid(x):
    """1 / (1 + exp(-x)) element by element, without overflow."""
    x = as_float(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def sigmoid_slope(x):
    """Slope of the sigmoid; it is the same at x and -x."""
    small = np.exp(-np.abs(as_float(x)))
    return small / ((1 + small) * (1 + small))


with np.errstate(over="raise"):
    try:
        1 / (1 + np.exp(-np.array(-1e4)))
    except FloatingPointError as error:
        print("as typed:", error)
    print("stable:  ", sigmoid([-1e4, -1.0, 0.0, 1.0, 1e4]).round(4))

# %% [markdown]
# ## Six others
#
# - The step function (5.1) is $1$ above zero, else $0$.
# - The hyperbolic tangent, tanh (3.5), is a sigmoid stretched to $(-1, 1)$: $\tanh x = 2\sigma(2x) - 1$.
# - *ReLU*, the rectified linear unit, is $\max(0, x)$. It lets positive scores pass unchanged and cuts off
#   negative ones.
# - *Leaky ReLU* keeps a hundredth of a negative score instead of cutting it off.
# - *GELU*, the Gaussian error linear unit, is a smooth ReLU: $x\, \Phi(x)$, where $\Phi(x)$ is the
#   probability that a standard normal number (2.8) lies below $x$. For large positive $x$ this probability
#   is almost $1$, for large negative ones almost $0$.
# - *SiLU*, the sigmoid linear unit, also called *swish*, uses the sigmoid in place of $\Phi$:
#   $x\, \sigma(x)$.
#
# The slopes of the last two follow from the product rule, $\Phi(x) + x\, \varphi(x)$ and
# $\sigma(x) + x\, \sigma'(x)$, because the slope of $\Phi$ is the bell curve
# $\varphi(x) = e^{-x^2/2} / \sqrt{2\pi}$. To compute $\Phi$ we need the *error function*, erf, a standard
# function of mathematics with $\Phi(x) = \frac12 (1 + \operatorname{erf}(x / \sqrt2))$. NumPy does not have
# it, so we apply Python's to one number at a time. At the corner of ReLU there is no slope; PyTorch uses
# the one on the left, $0$, and so do we.


# %%
def step(x):
    """1 where x is above zero, else 0."""
    return np.asarray(x > 0).astype(np.asarray(x).dtype)


def step_slope(x):
    """Zero wherever there is a slope, and zero at the jump, by convention."""
    return np.zeros_like(x)


def tanh_slope(x):
    """1 - tanh²: the slope of tanh from its output."""
    output = np.tanh(as_float(x))
    return 1 - output * output


def relu(x):
    """x where it is above zero, else 0; its slope is `step`."""
    return np.maximum(x, 0)


def leaky_relu(x, leak=0.01):
    """x where it is above zero, else leak · x; leak below 1."""
    return np.maximum(x, leak * as_float(x))


def leaky_relu_slope(x, leak=0.01):
    """1 where x is above zero, else leak."""
    x = as_float(x)
    return np.where(x > 0, 1, leak).astype(x.dtype)


def normal_cdf(x):
    """Φ(x): the probability that a standard normal number lies below x; keeps the float type of x."""
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return (0.5 * (1 + erf(x / math.sqrt(2)))).astype(x.dtype)


def gelu(x):
    """x · Φ(x); Hendrycks and Gimpel 2016."""
    x = as_float(x)
    return x * normal_cdf(x)


def gelu_slope(x):
    """Φ(x) + x · φ(x)."""
    x = as_float(x)
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return normal_cdf(x) + x * density


def silu(x):
    """x · σ(x)."""
    return as_float(x) * sigmoid(x)


def silu_slope(x):
    """σ(x) + x · σ'(x)."""
    return sigmoid(x) + as_float(x) * sigmoid_slope(x)


# %% [markdown]
# ## The same in PyTorch
#
# We compare every function with PyTorch's and every slope with autograd (4.2), in float64, on ordinary
# scores and on huge ones, where NumPy is told to raise an error at the first overflow. Because two
# formulas could share a mistake, each slope is also measured by a central difference (2.3).

# %%
activations = {  # name -> function, slope, the same function in PyTorch
    "step": (step, step_slope, lambda x: torch.heaviside(x, torch.zeros((), dtype=x.dtype))),
    "sigmoid": (sigmoid, sigmoid_slope, torch.sigmoid),
    "tanh": (np.tanh, tanh_slope, torch.tanh),
    "ReLU": (relu, step, torch.relu),  # the slope of ReLU is the step function
    "leaky ReLU": (leaky_relu, leaky_relu_slope, F.leaky_relu),
    "GELU": (gelu, gelu_slope, F.gelu),
    "SiLU": (silu, silu_slope, F.silu),
}


def compare_with_torch(name, x):
    """Largest differences from PyTorch of an activation and its slope at x (n,); raises if not tiny."""
    function, slope, torch_function = activations[name]
    torch_x = torch.from_numpy(x).requires_grad_(name != "step")
    expected = torch_function(torch_x)
    expected_slope = torch.zeros_like(torch_x)
    if name != "step":
        (expected_slope,) = torch.autograd.grad(expected.sum(), torch_x)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ours = function(x)
        our_slope = slope(x)
    np.testing.assert_allclose(ours, expected.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(our_slope, expected_slope, rtol=1e-10, atol=1e-12)
    nearby = x[(np.abs(x) > 1e-3) & (np.abs(x) < 100)]  # not at a corner, where no slope can be measured
    measured = (function(nearby + 1e-5) - function(nearby - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope(nearby), measured, atol=1e-8)
    return np.abs(ours - expected.detach().numpy()).max(), np.abs(our_slope - expected_slope.numpy()).max()


huge = [-1e4, -745.5, -40, 0, 40, 745.5, 1e4]
test_scores = np.concatenate([huge, rng.normal(scale=3, size=1000)])  # (1007,)
print(f"{'largest difference':20s}{'function':>12s}{'slope':>12s}")
for name in activations:
    function_gap, slope_gap = compare_with_torch(name, test_scores)
    print(f"{name:20s}{function_gap:12.1e}{slope_gap:12.1e}")

# %% [markdown]
# All differences are as small as rounding errors. Now look at the functions, and above all at the dashed
# lines, because on its way back through a neuron a gradient is multiplied by the slope of the activation.
# Where is that slope nearly zero?

# %%
x = np.linspace(-6, 6, 601)
fig, axes = plt.subplots(2, 4, figsize=(14, 6), layout="constrained", sharex=True, sharey=True)
steepest = {}
for ax, (name, (function, slope, _)) in zip(axes.flat, activations.items()):
    steepest[name] = float(slope(x).max())
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.plot(x, function(x), "-", color="C0", label="function")
    ax.plot(x, slope(x), "--", color="C1", label="slope")
    ax.set(title=f"{name}, largest slope {steepest[name]:.2f}", ylim=(-1.3, 2.3), xlabel="score x")
axes[0, 0].legend(loc="upper left")
axes[1, 3].axis("off")
plt.show()

# %% [markdown]
# The step function has slope zero everywhere. Sigmoid and tanh have their largest slope in the middle and
# are flat on both sides, and the sigmoid's slope is small even at its best. ReLU and its relatives are
# flat on the left only, and on the right their slope is $1$ or close to it, however large the score. GELU
# and SiLU look like a ReLU whose corner has been rounded, and dip a little below zero.
#
# ## Flat parts in a layer
#
# A neuron in a layer is also called a *unit*. For one example, a unit is called *saturated* if its score
# lies on a flat part of the activation; we draw the limit at a hundredth of the largest slope. Its weights
# then get hardly any gradient from that example. How often does that happen? We take one layer with random
# weights, show it handwritten digits (images of 8 × 8 pixels), and make the weights larger and larger.
# What should happen to each activation?

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)


def saturated_share(slopes, largest_slope):
    """Share of entries whose slope is below a hundredth of the largest one."""
    return float(np.mean(slopes < 0.01 * largest_slope))


sizes = 2.0 ** np.arange(-2, 8)  # (10,): standard deviation of the weights, in units of 1 / √64
weight = rng.normal(size=(64, 64)) / 8
saturated = {"sigmoid": [], "tanh": [], "ReLU": []}
for size in sizes:
    scores = images @ (size * weight).T  # (1797, 64) @ (64, 64) -> (1797, 64)
    for name in saturated:
        saturated[name].append(saturated_share(activations[name][1](scores), steepest[name]))
print(f"{'size of the weights':20s}" + "".join(f"{size:7g}" for size in sizes))
for name, row in saturated.items():
    print(f"{name:20s}" + "".join(f"{share:7.0%}" for share in row))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for size, style in ((1, "-"), (8, "--"), (64, "-.")):
    outputs = np.tanh(images @ (size * weight).T)  # (1797, 64) @ (64, 64) -> (1797, 64)
    left.hist(outputs.ravel(), bins=60, histtype="step", linestyle=style, label=f"size {size}")
left.set(xlabel="output of tanh", ylabel="number of outputs", yscale="log", ylim=(30, 3e5))
left.set_title("Outputs of tanh for three sizes of weights")
left.legend(loc="upper center")
for (name, row), style in zip(saturated.items(), ("o-", "s--", "^-.")):
    right.semilogx(sizes, row, style, base=2, markersize=4, label=name)
right.set(xlabel="size of the weights", ylabel="saturated share", ylim=(-0.03, 1.03))
right.set_title("Saturated units in a random layer")
right.legend()
plt.show()

# %% [markdown]
# With large weights the outputs of tanh gather at its two ends (left), where the slope is almost zero, and
# so do those of the sigmoid. The sigmoid's curve on the right is that of tanh, one step later: since
# $\tanh x = 2 \sigma(2x) - 1$, a sigmoid needs twice the score to saturate. ReLU is different, because a
# larger weight does not change the sign of a score, so about half of its outputs are cut off, whatever the
# size of the weights. That alone does no harm, since a unit that is off for one digit is on for others.
#
# ## Which of them train?
#
# Now we train a network with two hidden layers of 32 units, in which only the activation differs. A fair
# comparison has to allow for one thing: an activation with small slopes makes small gradients, so it needs
# a larger learning rate. So each activation gets several rates, each rate four random starts, and the
# best rate is chosen on validation digits. The step function is the control, since no gradient passes
# through it and only the last layer can learn.
#
# To save time, all networks of one activation are trained side by side. Their weights are stacked along a
# first axis, and a matrix product works on each of them (2.2). For each single network, this is the
# training loop of lesson 4.4.


# %%
def start_networks(seeds, n_copies):
    """Weights (N, n_out, n_in), biases (N, 1, n_out) of three layers; N = n_copies · len(seeds)."""
    starts = []
    for seed in seeds:
        torch.manual_seed(seed)
        layers = [nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)]
        starts.append([part for layer in layers for part in (layer.weight, layer.bias[None, :])])
    parameters = []
    for parts in zip(*starts):  # the same parameter of all starts
        # (S, …) -> (N, …): all seeds for the first rate, then all seeds for the next, and so on
        stacked = torch.stack(parts).detach().repeat(n_copies, 1, 1)
        parameters.append(stacked.requires_grad_())
    return parameters


def forward(parameters, activation, x):
    """Logits (N, B, 10) and the outputs (N, B, 32) of both hidden layers, for x (B, 64)."""
    weight1, bias1, weight2, bias2, weight3, bias3 = parameters
    hidden1 = activation(x @ weight1.mT + bias1)  # (B, 64) @ (N, 64, 32) -> (N, B, 32)
    hidden2 = activation(hidden1 @ weight2.mT + bias2)  # (N, B, 32) @ (N, 32, 32) -> (N, B, 32)
    return hidden2 @ weight3.mT + bias3, hidden1, hidden2  # (N, B, 32) @ (N, 32, 10) -> (N, B, 10)


def train(activation, rates, seeds, n_epochs=12, batch_size=32):
    """One network for each rate and seed, trained by SGD.

    Returns the parameters, and after each epoch for both hidden layers which units (N, 32) were not above
    zero for any training digit.
    """
    parameters = start_networks(seeds, len(rates))
    # (N, 1, 1): each rate as often as there are seeds, in the same order as the networks
    rate = torch.tensor(rates).repeat_interleave(len(seeds))[:, None, None]
    generator = torch.Generator().manual_seed(0)
    never_on = []
    for _ in range(n_epochs):
        for batch in torch.randperm(len(train_x), generator=generator).split(batch_size):
            logits, _, _ = forward(parameters, activation, train_x[batch])  # (N, B, 10)
            targets = train_y[batch].expand(len(logits), -1)  # (B,) -> (N, B)
            losses = F.cross_entropy(logits.mT, targets, reduction="none")  # (N, 10, B), (N, B) -> (N, B)
            # a network's weights have an effect on its own loss only, so the losses may be added up
            gradients = torch.autograd.grad(losses.mean(dim=1).sum(), parameters, allow_unused=True)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    if gradient is not None:  # under the step function none arrives
                        parameter -= rate * gradient
        with torch.no_grad():
            _, *hidden = forward(parameters, activation, train_x)
            never_on.append([(outputs <= 0).all(dim=1) for outputs in hidden])
    return parameters, never_on


# %%
order = rng.permutation(len(images))
x_parts = torch.tensor(images[order], dtype=torch.float32).split([1000, 400, 397])
y_parts = torch.tensor(labels[order]).split([1000, 400, 397])
train_x, valid_x, test_x = x_parts  # (1000, 64), (400, 64), (397, 64)
train_y, valid_y, test_y = y_parts  # (1000,), (400,), (397,)
seeds = (0, 1, 2, 3)
candidates = {  # the function in PyTorch, and the learning rates that it is tried with
    "step": (lambda z: (z > 0).to(z.dtype), (0.05, 0.1, 0.2, 0.4, 0.8)),  # a comparison has no gradient
    "sigmoid": (torch.sigmoid, (0.5, 1.0, 2.0, 4.0, 8.0)),
    "tanh": (torch.tanh, (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)),
    "ReLU": (torch.relu, (0.05, 0.1, 0.2, 0.4, 0.8)),
    "leaky ReLU": (F.leaky_relu, (0.05, 0.1, 0.2, 0.4, 0.8)),
    "GELU": (F.gelu, (0.05, 0.1, 0.2, 0.4, 0.8)),
}


def accuracies(parameters, activation, x, y):
    """Share of right answers of each of the N networks on x (B, 64), y (B,): an array (N,)."""
    with torch.no_grad():
        logits, _, _ = forward(parameters, activation, x)  # (N, B, 10)
    return (logits.argmax(dim=-1) == y).float().mean(dim=1).numpy()


def first_gradient(activation):
    """Mean length of the gradient of the first layer's weights before training; 0 if none arrives."""
    parameters = start_networks(seeds, 1)
    logits, _, _ = forward(parameters, activation, train_x)  # (S, n, 10)
    loss = F.cross_entropy(logits.mT, train_y.expand(len(seeds), -1), reduction="none").mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(loss, parameters[:1], allow_unused=True)
    return 0.0 if gradient is None else gradient.flatten(1).norm(dim=1).mean().item()


validation = {}  # name -> (rates, seeds)
test = {}  # name -> (seeds,), at the best rate
best_rate = {}
gradient_size = {}
never_on = {}
print(f"{'activation':14s}{'first gradient':>16s}{'best rate':>12s}{'validation':>12s}   test, four seeds")
for name, (function, rates) in candidates.items():
    gradient_size[name] = first_gradient(function)
    parameters, never_on[name] = train(function, rates, seeds)
    validation[name] = accuracies(parameters, function, valid_x, valid_y).reshape(len(rates), len(seeds))
    best = int(validation[name].mean(axis=1).argmax())
    best_rate[name] = rates[best]
    test_all = accuracies(parameters, function, test_x, test_y).reshape(len(rates), len(seeds))
    test[name] = test_all[best]  # (seeds,)
    print(
        f"{name:14s}{gradient_size[name]:16.4f}{best_rate[name]:12g}{validation[name][best].mean():12.3f}"
        + "".join(f"{share:8.3f}" for share in sorted(test[name]))
    )

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, shares), style in zip(validation.items(), ("P:", "s-.", "^--", "o-", "v:", "D-.")):
    rates = candidates[name][1]
    ax.plot(rates, shares.mean(axis=1), style, markersize=5, label=name)
    ax.vlines(rates, shares.min(axis=1), shares.max(axis=1), color="0.6", linewidth=1, zorder=0)
ax.axhline(0.1, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="learning rate", ylabel="validation accuracy", xscale="log", ylim=(0, 1.02))
ax.set_title("Mean and range of four seeds")
ax.legend(loc="upper right", ncols=2, fontsize=8)
plt.show()

# %% [markdown]
# Under the step function no gradient reaches the hidden layers. Their weights stay as they were drawn, and
# from their random outputs the last layer learns to read about half of the digits. The sigmoid does learn,
# but it needs a rate several times as large as ReLU's, and at no rate that we tried does it reach, in this
# short training, what tanh and the ReLU family reach at their best.
#
# The column "first gradient" suggests a reason. Before training, the gradient that arrives at the first
# layer under the sigmoid is less than a tenth of that under tanh. On its way it has been multiplied by two
# slopes of at most a quarter, while the slopes of tanh are close to one there. (Larger weights at the start
# help against that: see _Try it_, and lesson 6.5.)
#
# Among tanh, ReLU, leaky ReLU and GELU the seeds differ more than the activations. With other divisions of
# the digits into training, validation and test, the sigmoid stayed behind as well, but by less: on two of
# them by about seven and eleven digits in a hundred. There the other four read more than nine in ten, and
# differed by about one digit in a hundred.
#
# The figure also shows that at its best rate each of these four works, and that a rate twice as large ruins
# ReLU, leaky ReLU and GELU (with another division, leaky ReLU bore it better). So here a good learning rate
# mattered more than the choice among these four.
#
# ## Can a dead unit wake up?
#
# To see what goes wrong at the large rate, we need a word: a unit of ReLU that is above zero for no
# training digit at all is called *dead*. Its slope is zero for every digit, so its weights get no gradient.
# Can such a unit come back to life? One might say no, since nothing changes its weights. We look for units
# that were dead after the first epoch and count how many of them are alive at the end, in the first and in
# the second hidden layer.

# %%
n_dead = {}  # layer -> dead after the first epoch, of them awake at the end, dead at the end; for each rate
relu_rates = candidates["ReLU"][1]
shape = (len(relu_rates), -1)
print(f"{'hidden layer':14s}{'rate':>8s}{'dead at first':>16s}{'woken':>8s}{'dead at the end':>18s}")
for layer in (0, 1):
    at_first = never_on["ReLU"][0][layer]  # (N, 32)
    at_end = never_on["ReLU"][-1][layer]  # (N, 32)
    masks = (at_first, at_first & ~at_end, at_end)
    counts = [mask.sum(dim=1).view(shape).sum(dim=1) for mask in masks]  # (N, 32) -> (N,) -> (rates,)
    n_dead[layer] = torch.stack(counts).numpy()  # (3, rates)
    for rate, (dead_at_first, woken, dead_at_end) in zip(relu_rates, n_dead[layer].T):
        print(f"{layer + 1:<14d}{rate:8g}{dead_at_first:16d}{woken:8d}{dead_at_end:18d}")

# %% [markdown]
# In the first layer not one dead unit woke up. Its inputs are the digits, which do not change, and without
# a gradient its weights do not change either. In the second layer more than half of them woke up at the small
# rates (with five other starts and divisions between four and seven in ten), because the layer below went
# on learning: their own weights did not change, but their inputs did. The last row of each layer tells what
# went wrong at the largest rate. At the end most of the first layer's 128 units (32 in each of four
# networks) are dead, and about half of the second's.
#
# Which digits switch a unit on? For one ReLU network at its best rate and one at the largest, we count for
# each unit of the first layer the share of the training digits for which it is on.

# %%
parameters, _ = train(torch.relu, (best_rate["ReLU"], relu_rates[-1]), seeds[:1])
with torch.no_grad():
    _, hidden1, _ = forward(parameters, torch.relu, train_x)  # (2, n, 32)
share_on = (hidden1 > 0).float().mean(dim=1).numpy()  # (2, 32)

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, shares, rate in zip(axes, np.sort(share_on), (best_rate["ReLU"], relu_rates[-1])):
    ax.bar(np.arange(32), shares, color="C0")
    dead_units = np.flatnonzero(shares == 0)
    ax.plot(dead_units, np.zeros(len(dead_units)), "x", color="C1", label="dead")
    ax.set(xlabel="unit of the first layer, sorted", title=f"learning rate {rate:g}", ylim=(-0.03, 1.03))
axes[0].set_ylabel("share of digits that switch it on")
axes[1].legend()
plt.show()

# %% [markdown]
# At the best rate (left) most units are on for some digits and off for others, so they can tell digits
# apart. At the large rate (right) most of the units are dead, and what is left is too little.
#
# Leaky ReLU keeps a slope on the left, so none of its units can be dead. Does that repair the fault? The
# figure of the rates says no: at the largest rate leaky ReLU, too, stays far below its own best. (The mean
# of its four seeds was higher than ReLU's on one processor and lower on another, so we cannot rank the two
# there.) What removes the fault is the smaller learning rate.
#
# ## Which one to take
#
# | where | take | because |
# | --- | --- | --- |
# | hidden layers, to begin with; networks for images (chapter 9) | ReLU | cheap, slope $1$ where it is on |
# | hidden layers of Transformers (chapter 12) | GELU, SiLU | the published models use them; smooth |
# | many dead units | a smaller rate, then leaky ReLU | a slope on both sides |
# | states between $-1$ and $1$ in recurrent networks (chapter 11) | tanh | bounded, both signs |
# | gates, which let a share of something pass (chapter 11) | sigmoid | between $0$ and $1$ |
# | output: yes or no | sigmoid | a probability |
# | output: one of several classes | softmax (below) | probabilities that sum to one |
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert steepest["step"] == 0, "the step function has slope zero everywhere"
assert steepest["sigmoid"] == 0.25, "the sigmoid is never steeper than a quarter"
for name in ("ReLU", "leaky ReLU", "GELU", "SiLU"):
    slope_on_the_right = activations[name][1](np.array([6.0]))[0]
    assert abs(slope_on_the_right - 1) < 0.02, f"{name} has a slope near 1 on the right"
doubled = np.abs(np.subtract(saturated["tanh"][:-1], saturated["sigmoid"][1:]))
assert doubled.max() < 0.01, "tanh saturates one doubling earlier than the sigmoid"
assert saturated["sigmoid"][2] == 0 and saturated["sigmoid"][-1] > 0.8, "large weights saturate sigmoids"
assert len(set(saturated["ReLU"])) == 1, "the size of the weights does not change ReLU's share"
assert gradient_size["step"] == 0, "under the step function no gradient reaches the first layer"
assert gradient_size["sigmoid"] < 0.1 * gradient_size["tanh"], "less than a tenth of tanh's arrives"
assert best_rate["sigmoid"] >= 2 * best_rate["ReLU"], "the sigmoid needs a larger learning rate"
mean_test = {name: shares.mean() for name, shares in test.items()}
assert 0.35 < mean_test["step"] < 0.65, "the last layer alone reads about half of the digits"
assert mean_test["step"] < mean_test["sigmoid"] - 0.02, "the sigmoid learns more than the last layer alone"
for name in ("tanh", "ReLU", "leaky ReLU", "GELU"):
    assert mean_test[name] > mean_test["sigmoid"] + 0.1, f"{name} learns more than the sigmoid in this time"
    assert mean_test[name] > 0.85, f"{name} reads most digits"
four_means = [mean_test[name] for name in ("tanh", "ReLU", "leaky ReLU", "GELU")]
assert np.ptp(four_means) < np.ptp(test["GELU"]), "among these four the seeds differ more"
for name, (_, rates) in candidates.items():
    assert rates[0] < best_rate[name] < rates[-1], f"the best rate of {name} is not at the edge of its grid"
for name in ("ReLU", "leaky ReLU", "GELU"):
    by_rate = validation[name].mean(axis=1)
    assert by_rate[-1] < by_rate.max() - 0.2, f"twice the best rate ruins {name}"
assert n_dead[0][1].sum() == 0 < n_dead[0][0].sum(), "no dead unit of the first layer wakes up"
assert n_dead[1][1][:3].sum() > 0.5 * n_dead[1][0][:3].sum(), "in the second layer more than half of them do"
assert n_dead[0][2][-1] > 64, "at the largest rate more than half of the first layer's units are dead"
assert 0.3 * 128 < n_dead[1][2][-1] < n_dead[0][2][-1], "and about half of the second's, but fewer"

# %% [markdown]
# ## The same, faster
#
# Where does the time go? Our stable sigmoid needs an absolute value, an exponential and a choice, and our
# GELU calls Python's erf once for each number. Two formulas avoid this. The identity
# $\tanh x = 2\sigma(2x) - 1$, solved for the sigmoid, cannot overflow:
#
# $$\sigma(x) = \tfrac12 \bigl(1 + \tanh \tfrac x2\bigr) .$$
#
# And $\Phi$ is close to a tanh of a polynomial, which PyTorch offers as `approximate="tanh"`:
#
# $$\Phi(x) \approx \tfrac12 (1 + \tanh u), \qquad u = \sqrt{2/\pi}\, (x + 0.044715\, x^3) .$$
#
# Both have a price. The sigmoid by way of tanh rounds very small outputs to zero, and the second formula is
# not exactly GELU.


# %%
def fast_sigmoid(x):
    """The sigmoid by way of tanh: absolute error near 1e-16, but no relative precision below that."""
    return 0.5 * (1 + np.tanh(0.5 * as_float(x)))


def gelu_tanh(x):
    """GELU with a tanh for Φ; Hendrycks and Gimpel 2016."""
    x = as_float(x)
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    return 0.5 * x * (1 + np.tanh(u))


def gelu_tanh_slope(x):
    """Slope of `gelu_tanh`."""
    x = as_float(x)
    output = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * (x * x))
    return 0.5 * (1 + output) + 0.5 * x * (1 - output * output) * inner_slope


activations["GELU (tanh)"] = (gelu_tanh, gelu_tanh_slope, lambda x: F.gelu(x, approximate="tanh"))
compare_with_torch("GELU (tanh)", test_scores)
np.testing.assert_allclose(fast_sigmoid(test_scores), sigmoid(test_scores), rtol=1e-10, atol=1e-12)
gelu_gap = np.max(np.abs(gelu(x) - gelu_tanh(x)))
print(f"largest gap between GELU and its tanh form: {gelu_gap:.1e}")

many_scores = rng.normal(size=100_000).astype(np.float32)
fast_forms = {
    "sigmoid": sigmoid,
    "sigmoid, fast": fast_sigmoid,
    "GELU": gelu,
    "GELU (tanh)": gelu_tanh,
    "ReLU": relu,
}
print(f"{'ns per number':20s}{'NumPy':>12s}")
for name, function in fast_forms.items():
    times = []
    for _ in range(3):
        started = time.perf_counter()
        function(many_scores)
        times.append(time.perf_counter() - started)
    print(f"{name:20s}{min(times) / len(many_scores) * 1e9:12.2f}")

# %% [markdown]
# ReLU is a comparison and the cheapest of them. The fast forms save most of the time of the plain ones. How
# much that is worth depends on the layer: a unit with a thousand inputs takes two thousand operations for
# its score, so there the activation is a small part of the work. With few inputs it is not.
#
# ## Going further
#
# This part can be skipped at first, but softmax is needed in lesson 5.5, and its slopes come back in lesson
# 6.4.
#
# ### Softmax, for several scores at once
#
# All activations above work on one score at a time. At the output of a classifier we need one more
# function. *Softmax* (3.3) turns $K$ scores, one for each class, into $K$ probabilities: the exponential
# makes each positive, and the division makes their sum one.
#
# $$p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}$$
#
# If the same number is added to all scores, each exponential is multiplied by the same factor, which
# cancels. So we may subtract the largest score first. Then no exponential is larger than $1$, and none
# overflows.


# %%
def softmax(x):
    """Probabilities along the last axis, (…, K) -> (…, K), without overflow."""
    x = as_float(x)
    exps = np.exp(x - x.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)


print("scores 1, 3, 5:      ", softmax([1.0, 3.0, 5.0]).round(4))
print("scores 101, 103, 105:", softmax([101.0, 103.0, 105.0]).round(4))
print("scores 10000 and 0:  ", softmax([1e4, 0.0]))
np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [1 / 8, 2 / 8, 5 / 8])
some_scores = rng.normal(scale=100, size=(7, 10))
np.testing.assert_allclose(softmax(some_scores), torch.from_numpy(some_scores).softmax(dim=-1), atol=1e-12)

# %% [markdown]
# The first two lines are equal, and the third needs no infinite number. With two scores $(x, 0)$, the
# first probability is $e^x / (e^x + 1) = \sigma(x)$: the sigmoid is softmax for two classes.
#
# ### The slopes of softmax
#
# Every probability depends on every score. So there is a slope for each pair, $\partial p_i / \partial
# x_j$. The logarithm makes them short: $\ln p_i = x_i - \ln \sum_k e^{x_k}$, and the slope of the last
# term along $x_j$ is $e^{x_j} / \sum_k e^{x_k} = p_j$. Write $[i = j]$ for $1$ if $i = j$, else $0$. Then
#
# $$\frac{\partial \ln p_i}{\partial x_j} = [i = j] - p_j
#   \qquad\Longrightarrow\qquad
#   \frac{\partial p_i}{\partial x_j} = p_i\, ([i = j] - p_j) ,$$
#
# because the slope of $\ln p_i$ is the slope of $p_i$ divided by $p_i$. Now let a loss $L$ have the
# gradient $g_i = \partial L / \partial p_i$ at the probabilities. A score $x_j$ moves $L$ through all of
# them, and effects through several paths add up:
#
# $$\frac{\partial L}{\partial x_j} = \sum_i g_i\, p_i\, ([i = j] - p_j)
#   = p_j \Bigl(g_j - \sum_i g_i\, p_i\Bigr) .$$
#
# To check it against autograd, the gradient $g$ is a random array. Such an array, with which a backward
# pass starts, is called a cotangent (4.2).


# %%
def softmax_backward(x, cotangent):
    """Gradient at the scores x from the gradient at their softmax; both (…, K), else ValueError."""
    if np.shape(x) != np.shape(cotangent):
        raise ValueError(f"x has shape {np.shape(x)} but its cotangent {np.shape(cotangent)}")
    p = softmax(x)  # (…, K)
    return p * (cotangent - np.sum(cotangent * p, axis=-1, keepdims=True))


for spread in (1.0, 1e4):
    scores = rng.normal(scale=spread, size=(7, 10))
    cotangent = rng.normal(size=(7, 10))
    torch_scores = torch.from_numpy(scores).requires_grad_()
    (F.softmax(torch_scores, dim=-1) * torch.from_numpy(cotangent)).sum().backward()
    ours = softmax_backward(scores, cotangent)
    softmax_gap = np.abs(ours - torch_scores.grad.numpy()).max()
    np.testing.assert_allclose(ours, torch_scores.grad, rtol=1e-10, atol=1e-12)
    print(f"scores of size {spread:g}: largest difference {softmax_gap:.1e}")

# %% [markdown]
# ### Outputs of one sign
#
# The gradient of a weight is its input times the gradient at its unit's score. If all inputs of a layer
# are positive, as after a sigmoid, then for one example all weights of a unit must grow together or shrink
# together. Tanh's outputs have both signs; they are *zero-centred*. Does it help that a batch adds up the
# gradients of several examples? We put ten output units on a random hidden layer and take their true
# gradients at the logits, probability minus target (3.3).

# %%
out_weight = rng.normal(size=(10, 64)) / 8
one_sign = {}  # name -> share of (unit, example) and of (unit, batch) whose gradients have one sign
print(f"{'hidden layer':20s}{'mean output':>12s}{'one example':>14s}{'batch of 32':>14s}")
for name in ("sigmoid", "tanh", "ReLU"):
    hidden = activations[name][0](images @ weight.T)  # (1797, 64) @ (64, 64) -> (1797, 64)
    grad_z = softmax(hidden @ out_weight.T) - np.eye(10)[labels]  # (1797, 64) @ (64, 10) -> (1797, 10)
    gradients = grad_z[:, :, None] * hidden[:, None, :]  # (1797, 10, 1) * (1797, 1, 64) -> (1797, 10, 64)
    batched = gradients[: 56 * 32].reshape(56, 32, 10, 64).sum(axis=1)  # (56, 32, 10, 64) -> (56, 10, 64)
    one_sign[name] = [float(np.mean(g.min(axis=-1) * g.max(axis=-1) >= 0)) for g in (gradients, batched)]
    print(f"{name:20s}{hidden.mean():12.2f}{one_sign[name][0]:14.0%}{one_sign[name][1]:14.0%}")

# %% [markdown]
# After a sigmoid or a ReLU every single example moves all weights of a unit the same way, up or down.
# Adding up a batch removes this for ReLU, whose outputs differ from digit to digit. A sigmoid of small
# scores gives nearly one half to every digit, and about two thirds of its gradients keep one sign. This
# may be a second reason why it learns slowly; the lesson has not separated it from the first.

# %%
assert one_sign["sigmoid"][0] == one_sign["ReLU"][0] == 1, "positive inputs give one example one sign"
assert one_sign["tanh"] == [0, 0], "after tanh the signs are mixed"
assert one_sign["ReLU"][1] < 0.05, "in a batch ReLU's gradients have both signs"
assert one_sign["sigmoid"][1] > 0.5, "in a batch most of the sigmoid's still have one sign"

# %% [markdown]
# ## What to remember
#
# - A gradient is multiplied by the slope of every activation that it passes. Where the activation is flat,
#   nothing is learned.
# - The step function is flat everywhere, the sigmoid and tanh at large scores, ReLU on its left side.
# - A saturated unit is flat for one example, a dead one for all. In the first layer a dead unit stays dead
#   under plain SGD; in later layers it can wake up.
# - Compare activations at the best learning rate of each. At two layers, tanh and the ReLU family did
#   about equally well here, and the sigmoid learned slowly.
# - Compute exponentials of negative numbers only, and nothing can overflow.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Call a unit saturated if its slope is below a tenth of the largest: change `0.01 * largest_slope` to
#    `0.1 * largest_slope`. By which factor do the sigmoid's and tanh's limits move, and so their curves in
#    the second figure? What happens to ReLU's line?
# 2. Start with weights four times as large: in `start_networks`, change `torch.stack(parts).detach()` to
#    `4 * torch.stack(parts).detach()`. Which activation gains by it? Look at the table and the third
#    figure.
# 3. From a blank cell at the end: train the sigmoid at its best rate for 36 epochs instead of 12, with the
#    same seeds. Compare its test accuracies with those of tanh in the table. Is it worse, or only slower?
#
# ## Sources
#
# - Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient backprop", 1998, section 4.4: zero-centred
#   outputs.
# - V. Nair, G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010: ReLU.
# - A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models",
#   2013: the leak.
# - D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", 2016: GELU, its tanh form, and SiLU.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data.
