# %% [markdown]
# # 5.2 Activations: what bends a network, and what stops it from learning
#
# A light switch knows on and off. A dimmer knows everything between, and a valve lets water through one
# way only. The perceptron of lesson 5.1 is a switch, and training by gradients needs to know which way a
# little turn would help: on a switch, nearly nowhere. So networks are built from dimmers and valves.
#
# **You will build** eight activation functions with their slopes, stable at any input, and find out what
# each does to training. **You need** derivatives (2.3), the perceptron (5.1) and training in PyTorch
# (4.4).

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
# The *sigmoid* turns any score into a number between $0$ and $1$, and its slope can be written with its
# own output:
#
# $$\sigma(x) = \frac{1}{1 + e^{-x}}, \qquad \sigma'(x) = \sigma(x)\, (1 - \sigma(x)) .$$
#
# At $x = 0$ it gives $\frac12$ with slope $\frac14$. At $x = \ln 3$ the exponential is $\frac13$, so the
# output is $\frac34$ and the slope $\frac34 \cdot \frac14 = \frac{3}{16}$. It is never steeper than at
# zero.

# %%
for x, expected, expected_slope in ((0.0, 1 / 2, 1 / 4), (math.log(3), 3 / 4, 3 / 16)):
    s = 1 / (1 + math.exp(-x))
    print(f"x {x:.4f}   sigmoid {s:.4f}   slope {s * (1 - s):.4f}")
    assert math.isclose(s, expected) and math.isclose(s * (1 - s), expected_slope)

# %% [markdown]
# ## A stable sigmoid
#
# Typed as written, the formula overflows: $e^{10\,000}$ fits into no float, though the answer is plainly
# $0$. Only $e^{-|x|}$, called `e` in the code, is ever safe, and it is enough: multiply top and bottom
# by $e^x$ where $x$ is negative.
#
# $$\sigma(x) = \frac{1}{1 + e^{-|x|}} \;\; (x \ge 0), \qquad
#   \sigma(x) = \frac{e^{-|x|}}{1 + e^{-|x|}} \;\; (x < 0), \qquad
#   \sigma'(x) = \frac{e^{-|x|}}{(1 + e^{-|x|})^2} .$$


# %%
def sigmoid(x):
    """1 / (1 + exp(-x)) element by element, without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_slope(x):
    e = np.exp(-np.abs(x))
    return e / ((1 + e) * (1 + e))


with np.errstate(over="raise"):
    try:
        1 / (1 + np.exp(-np.array(-1e4)))
    except FloatingPointError as error:
        print("as written:", error)
    print("stable:", sigmoid(np.array([-1e4, -1.0, 0.0, 1.0, 1e4])).round(4))

# %% [markdown]
# ## Five old ones
#
# The sigmoid is one of them. *Step* is Rosenblatt's switch. *Tanh* is a sigmoid stretched to $(-1, 1)$:
# $\tanh x = 2\sigma(2x) - 1$. *ReLU*, the rectified linear unit, is the valve, $\max(0, x)$. *Leaky
# ReLU* drips a little backwards. ReLU's slope is the step, so `step` serves for it, too. At the kink,
# slopes follow PyTorch: the left one.


# %%
def step(x):
    """1 where x is above zero, else 0."""
    return (x > 0).astype(x.dtype)


def step_slope(x):
    """Zero wherever there is a slope, and zero at the jump, by convention."""
    return np.zeros_like(x)


def tanh_slope(x):
    t = np.tanh(x)
    return 1 - t * t


def relu(x):
    """x where it is above zero, else 0."""
    return np.maximum(x, 0)


def leaky_relu(x, leak=0.01):
    """x where it is above zero, else leak · x; leak below 1."""
    return np.maximum(x, leak * x)


def leaky_relu_slope(x, leak=0.01):
    return np.where(x > 0, 1, leak).astype(x.dtype)


# %% [markdown]
# ## Two smooth valves
#
# *GELU* weighs $x$ by the probability that a standard normal number lies below it, *SiLU* by a sigmoid:
#
# $$\text{GELU}(x) = x\, \Phi(x), \quad \text{slope } \Phi(x) + x\, \varphi(x); \qquad
#   \text{SiLU}(x) = x\, \sigma(x), \quad \text{slope } \sigma(x) + x\, \sigma'(x),$$
#
# with $\Phi(x) = \frac12 (1 + \operatorname{erf}(x / \sqrt2))$ and its density
# $\varphi(x) = e^{-x^2/2} / \sqrt{2\pi}$. NumPy has no *error function* erf, so we borrow Python's, one
# number at a time. The widespread shortcut puts a tanh in its place, of an inner polynomial $u$:
#
# $$\Phi(x) \approx \tfrac12 (1 + \tanh u), \qquad u = \sqrt{2/\pi}\, (x + 0.044715\, x^3) .$$


# %%
erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x):
    """x · Φ(x); Hendrycks and Gimpel 2016."""
    return x * (0.5 * (1 + erf(x / math.sqrt(2))))


def gelu_slope(x):
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + erf(x / math.sqrt(2))) + x * density


def gelu_tanh(x):
    """GELU with a tanh for Φ: much faster, and close."""
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    return 0.5 * x * (1 + np.tanh(u))


def gelu_tanh_slope(x):
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * (x * x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner_slope


def silu(x):
    """x · σ(x)."""
    return x * sigmoid(x)


def silu_slope(x):
    return sigmoid(x) + x * sigmoid_slope(x)


x = np.linspace(-8, 8, 1601)
gap = np.max(np.abs(gelu(x) - gelu_tanh(x)))
print(f"largest gap between GELU and its tanh form: {gap:.1e}")
assert 1e-4 < gap < 1e-3

# %% [markdown]
# ## Softmax, for several scores at once
#
# *Softmax* turns a row of scores into probabilities: $p_i = e^{x_i} / \sum_j e^{x_j}$. Adding one number
# to all scores changes nothing, so the largest is subtracted first and no exponential exceeds $1$. Every
# output depends on every input, so its derivative is a table,
# $\partial p_i / \partial x_j = p_i ([i = j] - p_j)$, with $[i = j]$ one on the diagonal and zero
# elsewhere. With the gradient $g$ of a loss at $p$, the gradient at $x$ is
#
# $$\frac{\partial L}{\partial x_j} = p_j \Bigl(g_j - \sum_i g_i\, p_i\Bigr) .$$


# %%
def softmax(x):
    """Probabilities along the last axis, (…, K) -> (…, K), without overflow."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(x, cotangent):
    """Gradient at the scores x from the gradient at their softmax; both (…, K), else ValueError."""
    if x.shape != cotangent.shape:
        raise ValueError(f"x has shape {x.shape} but its cotangent {cotangent.shape}")
    p = softmax(x)  # (…, K)
    return p * (cotangent - np.sum(cotangent * p, axis=-1, keepdims=True))


scores = np.array([1.0, 3.0, 5.0])
print("e to 1, 3 and 5:", np.exp(scores).round(1), " softmax:", softmax(scores).round(4))
np.testing.assert_allclose(softmax(np.array([1e4, 0.0])), [1, 0])
np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [1 / 8, 2 / 8, 5 / 8])

# %% [markdown]
# ## The same in PyTorch
#
# Each function and its slope is compared with the library's and with autograd, in float64, on small
# inputs and on huge ones. NumPy is told to raise an error at the first overflow.

# %%
activations = {
    "step": (step, step_slope, lambda x: torch.heaviside(x, torch.zeros((), dtype=x.dtype))),
    "sigmoid": (sigmoid, sigmoid_slope, torch.sigmoid),
    "tanh": (np.tanh, tanh_slope, torch.tanh),
    "ReLU": (relu, step, torch.relu),
    "leaky ReLU": (leaky_relu, leaky_relu_slope, F.leaky_relu),
    "GELU": (gelu, gelu_slope, F.gelu),
    "GELU (tanh)": (gelu_tanh, gelu_tanh_slope, lambda x: F.gelu(x, approximate="tanh")),
    "SiLU": (silu, silu_slope, F.silu),
}
x = np.concatenate([[-1e4, -745.5, -40, 0, 40, 745.5, 1e4], rng.normal(scale=3, size=1000)])  # (1007,)
print(f"{'largest difference':20s}{'function':>12s}{'slope':>12s}")
for name, (function, slope, theirs) in activations.items():
    u = torch.from_numpy(x).requires_grad_(name != "step")
    expected = theirs(u)
    expected_slope = torch.autograd.grad(expected.sum(), u)[0] if name != "step" else torch.zeros_like(u)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ours, our_slope = function(x), slope(x)
    gaps = np.abs(ours - expected.detach().numpy()).max(), np.abs(our_slope - expected_slope.numpy()).max()
    print(f"{name:20s}{gaps[0]:12.1e}{gaps[1]:12.1e}")
    np.testing.assert_allclose(ours, expected.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(our_slope, expected_slope, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Autograd could share our mistakes, so nudge too: a central difference of each function must give its
# slope everywhere but at the kinks. Softmax gets small scores and huge ones, and a random gradient at its
# output, its *cotangent*.

# %%
smooth, nudge = x[(np.abs(x) > 1e-3) & (np.abs(x) < 100)], 1e-5
for function, slope, _ in activations.values():
    measured = (function(smooth + nudge) - function(smooth - nudge)) / (2 * nudge)
    np.testing.assert_allclose(slope(smooth), measured, atol=1e-8)

for scale in (1.0, 1e4):
    scores, cotangent = rng.normal(scale=scale, size=(7, 10)), rng.normal(size=(7, 10))
    u = torch.from_numpy(scores).requires_grad_()
    (expected,) = torch.autograd.grad((F.softmax(u, dim=-1) * torch.from_numpy(cotangent)).sum(), u)
    np.testing.assert_allclose(softmax(scores), F.softmax(u, dim=-1).detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(softmax_backward(scores, cotangent), expected, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Eight pairs
#
# The slope is what a gradient is multiplied by on its way back. Look for where it is nearly zero: there,
# nothing is learned. Softmax is drawn for its first score, with the second held at zero.

# %%
x = np.linspace(-6, 6, 601)
pairs = {
    name: (function(x), slope(x)) for name, (function, slope, _) in activations.items() if "(" not in name
}
p = softmax(np.column_stack([x, np.zeros_like(x)]))[:, 0]  # (601, 2) -> (601,)
pairs["softmax of (x, 0)"] = p, p * (1 - p)
print({name: round(float(slope.max()), 3) for name, (_, slope) in pairs.items()}, "are the steepest slopes")
valves = {"ReLU", "leaky ReLU", "GELU", "SiLU"}
assert np.all(pairs["step"][1] == 0) and pairs["sigmoid"][1].max() == 0.25
assert all(abs(slope[0]) < 0.02 for _, slope in pairs.values())  # flat, or nearly, at x = -6
assert all((slope[-1] > 0.98) if name in valves else (slope[-1] < 0.02) for name, (_, slope) in pairs.items())

# %%
fig, axes = plt.subplots(2, 4, figsize=(14, 6), layout="constrained", sharex=True, sharey=True)
for ax, (name, (value, slope)) in zip(axes.flat, pairs.items()):
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.plot(x, value, "-", color="C0", label="function")
    ax.plot(x, slope, "--", color="C1", label="slope")
    ax.set(title=name, ylim=(-1.3, 2.3))
axes[0, 0].legend(loc="upper left")
for ax in axes[1]:
    ax.set_xlabel("x")
fig.suptitle("The switch and the dimmers flatten out on both sides, the valves only on the left")
plt.show()

# %% [markdown]
# ## Saturation
#
# A *unit*, as a neuron in a layer is also called, is *saturated* where its slope has fallen below a
# hundredth of its steepest: turning its weights hardly changes it. Real digits, one layer, random
# weights that we make louder and louder: how many of the units' answers are stuck?

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)


def saturated_share(slopes, steepest):
    """Share of entries whose slope is below a hundredth of the steepest one."""
    return float(np.mean(slopes < 0.01 * steepest))


loudness = 2.0 ** np.arange(-2, 8)  # standard deviation of the weights, in units of 1 / √64
weight = rng.normal(size=(64, 64)) / 8
shares = {"sigmoid": [], "tanh": [], "ReLU": []}
for scale in loudness:
    z = images @ (scale * weight).T  # (1797, 64) @ (64, 64) -> (1797, 64)
    for name, steepest in (("sigmoid", 0.25), ("tanh", 1.0), ("ReLU", 1.0)):
        shares[name].append(saturated_share(activations[name][1](z), steepest))
print(f"{'loudness':20s}" + "".join(f"{scale:7g}" for scale in loudness))
for name, row in shares.items():
    print(f"{name:20s}" + "".join(f"{share:7.0%}" for share in row))
assert shares["sigmoid"][2] == 0 and shares["sigmoid"][-1] > 0.8
np.testing.assert_allclose(shares["tanh"][:-1], shares["sigmoid"][1:], atol=0.01)
assert len(set(shares["ReLU"])) == 1

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for scale, style in ((1, "-"), (8, "--"), (64, "-.")):
    outputs = np.tanh(images @ (scale * weight).T)  # (1797, 64) @ (64, 64) -> (1797, 64)
    left.hist(
        outputs.ravel(), bins=60, histtype="step", linestyle=style, linewidth=1.5, label=f"loudness {scale}"
    )
left.set(
    xlabel="tanh of the score", ylabel="answers", title="Loud weights push tanh to its ends", yscale="log"
)
left.set_ylim(1, 2e5)
left.legend(loc="lower center")
for (name, row), style in zip(shares.items(), ("o-", "s--", "^-.")):
    right.semilogx(loudness, row, style, base=2, markersize=4, label=name)
right.set(xlabel="loudness of the weights", ylabel="share without slope", ylim=(-0.03, 1.03))
right.set_title("Tanh saturates at half the loudness")
right.legend()
plt.show()

# %% [markdown]
# Tanh is a sigmoid of twice the score, so it saturates at half the loudness. ReLU is off about half the
# time, however loud the weights: scaling moves nothing across zero. That is no harm in itself, because
# another digit switches the unit on. A unit that no digit switches on is *dead*: it has no slope
# anywhere, and nothing can wake it.
#
# ## All of one sign
#
# The gradient of a weight is its input times the blame $\delta$ of its unit, the slope of the loss along
# the unit's score. If a layer's inputs are all positive, as after a sigmoid, then an example moves all
# weights of a unit up together or down together, and they reach their goal only in zigzags. Tanh is
# *zero-centred*: its outputs have both signs. Does it help to add up the gradients of a batch?

# %%
print(f"{'hidden layer':20s}{'mean output':>12s}{'of one sign':>14s}{'and in a batch':>16s}")
one_sign = {}
delta = rng.normal(size=(1797, 10))  # the blame of ten units of the next layer
for name in ("sigmoid", "tanh", "ReLU"):
    hidden = activations[name][0](images @ weight.T)  # (1797, 64) @ (64, 64) -> (1797, 64)
    gradients = delta[:, :, None] * hidden[:, None, :]  # (1797, 10, 1) * (1797, 1, 64) -> (1797, 10, 64)
    batched = gradients[: 56 * 32].reshape(56, 32, 10, 64).sum(axis=1)  # (56, 32, 10, 64) -> (56, 10, 64)
    one_sign[name] = [float(np.mean(g.min(axis=-1) * g.max(axis=-1) >= 0)) for g in (gradients, batched)]
    print(f"{name:20s}{hidden.mean():12.2f}{one_sign[name][0]:14.0%}{one_sign[name][1]:16.0%}")
assert one_sign["sigmoid"][0] == one_sign["ReLU"][0] == 1 and one_sign["tanh"] == [0, 0]
assert one_sign["sigmoid"][1] > 0.5 and one_sign["ReLU"][1] < 0.05

# %% [markdown]
# A batch helps ReLU, whose outputs differ from digit to digit. A sigmoid of small scores says nearly one
# half to all of them, and its gradients stay together.
#
# ## What they cost
#
# A comparison is nearly free. An exponential or a tanh is not where numbers are computed one by one; most
# machines compute several at once. Python's erf, called once for each number, is the price of going
# without a library. The stable sigmoid pays for an absolute value and a choice besides. The identity
# $\tanh x = 2\sigma(2x) - 1$, read backwards, avoids both, because tanh cannot overflow:
#
# $$\sigma(x) = \tfrac12 \bigl(1 + \tanh \tfrac x2\bigr) .$$
#
# It rounds the smallest answers to zero, which does not matter where they are added to something.
# Nanoseconds an element on this machine:


# %%
def fast_sigmoid(x):
    """The sigmoid by way of tanh: absolute error near 1e-16, but no relative precision below that."""
    return 0.5 * (1 + np.tanh(0.5 * x))


z = rng.normal(size=100_000).astype(np.float32)
tensor = torch.from_numpy(z)
np.testing.assert_allclose(fast_sigmoid(z), sigmoid(z), atol=1e-6)  # float32
print(f"{'ns an element':20s}{'NumPy':>12s}{'PyTorch':>12s}")
for name, (function, _, theirs) in {
    **activations,
    "step": (step, None, lambda x: (x > 0).to(x.dtype)),  # heaviside takes far longer than a comparison
    "sigmoid, fast": (fast_sigmoid, None, torch.sigmoid),
}.items():
    times = []
    for run, argument in ((function, z), (theirs, tensor)):
        rounds = []
        for _ in range(3):
            start = time.perf_counter()
            run(argument)
            rounds.append(time.perf_counter() - start)
        times.append(min(rounds) / len(z) * 1e9)
    print(f"{name:20s}{times[0]:12.2f}{times[1]:12.2f}")

# %% [markdown]
# ## Which of them train?
#
# The same network, the same start, the same batches, a few epochs; only the activation differs. Two
# hidden layers read digits. For the step we take PyTorch's comparison, through which no gradient passes.


# %%
class Step(nn.Module):
    """1 where the score is above zero, else 0; no gradient passes."""

    def forward(self, z):
        return (z > 0).to(z.dtype)


def train(activation, n_epochs=6, learning_rate=0.5, batch_size=32):
    """A 64-64-64-10 network on the training digits: the model, its losses, its first layer's weights and
    gradient before the first step (None where no gradient arrived)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses, start = [], model[0].weight.detach().clone()
    for _ in range(n_epochs):
        for batch in torch.randperm(len(train_x)).split(batch_size):
            loss = F.cross_entropy(model(train_x[batch]), train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            if not losses:
                pull = None if model[0].weight.grad is None else model[0].weight.grad.clone()
            optimizer.step()
            losses.append(loss.item())
    return model, losses, start, pull


order = rng.permutation(len(images))
train_x, test_x = torch.tensor(images[order], dtype=torch.float32).split([1400, 397])  # (1400, 64), (397, 64)
train_y, test_y = torch.tensor(labels[order]).split([1400, 397])  # (1400,), (397,)
candidates = {"step": Step, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU}
trained = {name: train(activation) for name, activation in candidates.items()}
n_batches = math.ceil(len(train_x) / 32)  # in an epoch

# %% [markdown]
# One table for all of it: how strongly the first layer was pulled at the first step, how far it moved,
# how many of its answers are stuck at the end, how many of its units are dead, and what the network was
# good for.


# %%
def examine(name, model, losses, start, pull):
    """Print a row of the table; returns what stands in it."""
    with torch.no_grad():
        slopes = np.abs(activations[name][1](model[0](train_x).double().numpy()))  # (1400, 64)
        row = {
            "pull": 0.0 if pull is None else pull.norm().item(),
            "moved": (model[0].weight - start).norm().item(),
            "stuck": saturated_share(slopes, 0.25 if name == "sigmoid" else 1.0),
            "dead": float(np.mean(np.all(slopes == 0, axis=0))),
            "loss": float(np.mean(losses[-n_batches:])),
            "test": (model(test_x).argmax(dim=1) == test_y).float().mean().item(),
        }
    print(f"{name:12s}" + "".join(f"{value:10.3g}" for value in row.values()))
    return row


print(
    f"{'activation':12s}"
    + "".join(f"{title:>10s}" for title in ("pull", "moved", "stuck", "dead", "loss", "test"))
)
rows = {name: examine(name, *run) for name, run in trained.items()}
assert rows["step"]["moved"] == 0 and rows["step"]["dead"] == 1
assert min(rows[name]["test"] for name in ("tanh", "ReLU", "GELU")) > 0.88
assert rows["sigmoid"]["test"] < rows["step"]["test"] < 0.75
assert rows["sigmoid"]["pull"] < 0.3 * rows["tanh"]["pull"]

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, (_, losses, _, _)), style in zip(trained.items(), (":", "-.", "--", "-", "o-")):
    by_epoch = [losses[0], *np.reshape(losses, (-1, n_batches)).mean(axis=1)]  # (264,) -> (6, 44) -> (6,)
    ax.plot(by_epoch, style, markersize=4, label=name)
ax.axhline(math.log(10), color="0.7", linewidth=0.8, zorder=0, label="guessing")
ax.set(xlabel="epoch", ylabel="training loss (nats)", title="Sigmoid and step are left behind")
ax.legend(ncols=2, loc="upper right", bbox_to_anchor=(1, 0.88))
plt.show()

# %% [markdown]
# The first two fail for different reasons. Under the step no gradient arrives: the hidden layers stay as
# they were drawn, and only the last layer learns from what they happen to say. Sigmoids do pass a
# gradient on, but each layer multiplies it by a quarter at most, and all their outputs lean to one side.
# In this short run that is worse than hidden layers that do not learn at all (would more epochs help? Try
# it, below). Between tanh, ReLU and GELU there is little to choose at two layers. What matters more is a
# learning rate that does not kill: doubled, it drives many ReLU units below zero for every digit. Leaky
# ReLU keeps a slope everywhere; does that save it?

# %%
print(
    f"{'activation':12s}"
    + "".join(f"{title:>10s}" for title in ("pull", "moved", "stuck", "dead", "loss", "test"))
)
loud = {
    name: examine(name, *train(activation, learning_rate=1.0))
    for name, activation in (("ReLU", nn.ReLU), ("leaky ReLU", nn.LeakyReLU))
}
assert loud["ReLU"]["dead"] > 0.4 > 0.3 > rows["ReLU"]["dead"] and loud["leaky ReLU"]["dead"] == 0
assert max(row["test"] for row in loud.values()) < 0.85

# %% [markdown]
# No unit of the leaky network is dead, and still it fails: the steps were too long for any of them. A
# leak is an insurance, not a cure.
#
# ## Which one to take
#
# | where | take | because |
# | --- | --- | --- |
# | hidden layers, to begin with | ReLU | cheap, slope 1 where it is on |
# | hidden layers of Transformers (chapter 12) | GELU or SiLU | smooth, some slope left of zero |
# | units that die | leaky ReLU, or a smaller learning rate | a slope everywhere |
# | yes or no | sigmoid, at the output only | a probability |
# | states that must stay bounded (11.2) | tanh | both signs, at most 1 |
# | one of several classes | softmax, at the output only | probabilities that sum to 1 |
#
# ## What to remember
#
# - Gradients pass through the slope of the activation. Where it is flat, nothing is learned: step
#   everywhere, sigmoid and tanh at loud scores, ReLU on its left.
# - Saturated is flat for one example, dead is flat for all of them.
# - Write exponentials of negative numbers only, and no input can overflow them.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Train the sigmoid network for thirty epochs. Where does it end?
# 2. Start the sigmoid network with weights four times as large. Does it wake up sooner?
# 3. Give `train` one more hidden layer. Which activations still learn in the same time? (Lesson 6.5.)
#
# ## Sources
#
# - Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient backprop", 1998, section 4.4: zero-centred
#   outputs.
# - V. Nair, G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010:
#   ReLU.
# - A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models",
#   2013: the leak.
# - D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", 2016: GELU, its tanh form, and SiLU.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data.
