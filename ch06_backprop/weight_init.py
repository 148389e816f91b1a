# %% [markdown]
# # 6.5 Weight initialization: how loud a deep network starts
#
# A rumour passes down a long line of people. If each tells it a little quieter, the last hears nothing; if
# each tells it a little louder, the last hears shouting. A deep network before training is that line, and
# the size of its random weights is how loudly each one speaks.
#
# **You will build** the variance rule behind Xavier and He initialization, measure it through a deep
# network in both directions, and see which starts let a network learn at all. **You need** activation
# functions (5.2) and backpropagation (6.2).

# %%
import itertools
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# A neuron has two inputs, $3$ and $4$, and each weight is $+\frac12$ or $-\frac12$ by the toss of a coin.
# There are four neurons that this could give. Their outputs average to zero, and their variance is
# $\frac14 (3^2 + 4^2)$: the variance of a weight times the sum of the squared inputs.

# %%
outputs = [w1 * 3 + w2 * 4 for w1, w2 in itertools.product((0.5, -0.5), repeat=2)]
print(f"outputs {outputs}   mean {np.mean(outputs)}   variance {np.var(outputs)}")
assert np.mean(outputs) == 0
assert np.var(outputs) == 0.5**2 * (3**2 + 4**2)

# %% [markdown]
# ## The rule
#
# Neither the coins nor the two inputs mattered. Take $n$ independent weights of mean zero and variance
# $\sigma^2$. In the square of $z = \sum_i w_i x_i$ every cross term averages out, which leaves
#
# $$\operatorname{Var}(z) = n\, \sigma^2\, \overline{x^2}, \qquad \overline{x^2} = \frac1n \sum_i x_i^2 .$$
#
# A layer multiplies the mean square of its inputs by $n\sigma^2$, and a deep network does so again and
# again. A little off one is far off in the end.

# %%
n, n_neurons = 256, 4000
x = rng.exponential(size=n)  # (n,): neither centred nor symmetric, and it does not matter
weight = rng.normal(scale=0.1, size=(n_neurons, n))
z = weight @ x  # (n_neurons, n) @ (n,) -> (n_neurons,)
predicted = n * 0.1**2 * np.mean(x**2)
print(f"variance of z: predicted {predicted:.2f}, measured {z.var():.2f}")
assert abs(z.var() / predicted - 1) < 4 * np.sqrt(2 / n_neurons)  # four standard errors

for factor in (0.9, 1.0, 1.1):
    print(f"{factor} over 50 layers: {factor**50:.4f}")

# %% [markdown]
# ## There and back
#
# Forward, each layer computes $z_l = h_{l-1} W_l^\top$ and $h_l = f(z_l)$. Backward, as in lesson 6.2, the
# gradient passes through the slope of $f$ and the same matrix the other way:
#
# $$\frac{\partial L}{\partial z_l} = \frac{\partial L}{\partial h_l} \odot f'(z_l), \qquad
#   \frac{\partial L}{\partial h_{l-1}} = \frac{\partial L}{\partial z_l}\, W_l .$$
#
# We keep both at every layer. There are no biases: they would start at zero.

# %%
activations = {
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


def propagate(x, weights, activation, cotangent):
    """Pre-activations and their gradients at every layer of a network without biases.

    x: (B, D_0), weights: a list of (D_l, D_{l-1}) arrays, activation: a key of `activations`,
    cotangent: (B, D_L), the loss's gradient at the last layer's output.
    Returns two lists with one (B, D_l) array a layer. Raises ValueError where shapes do not chain.
    """
    f, slope = activations[activation]
    zs, grads = [], []
    for weight in weights:
        if x.shape[1] != weight.shape[1]:
            raise ValueError(f"inputs have shape {x.shape} but the weight has shape {weight.shape}")
        zs.append(x @ weight.T)  # (B, D_in) @ (D_in, D_out) -> (B, D_out)
        x = f(zs[-1])
    if cotangent.shape != x.shape:
        raise ValueError(f"the output has shape {x.shape} but its cotangent {cotangent.shape}")
    for z, weight in zip(reversed(zs), reversed(weights)):
        grads.append(cotangent * slope(z))  # (B, D_out)
        cotangent = grads[-1] @ weight  # (B, D_out) @ (D_out, D_in) -> (B, D_in)
    return zs, grads[::-1]


# %% [markdown]
# Autograd is the examiner: a few narrow layers, the same weights, a random cotangent. We compare every
# pre-activation and every gradient.

# %%
x = rng.normal(size=(3, 5))
weights = [rng.normal(size=shape) for shape in ((7, 5), (2, 7), (4, 2))]
cotangent = rng.normal(size=(3, 4))
zs, grads = propagate(x, weights, "tanh", cotangent)

h, torch_zs = torch.from_numpy(x), []
for weight in weights:
    torch_zs.append(nn.functional.linear(h, torch.from_numpy(weight)).requires_grad_())
    h = torch_zs[-1].tanh()
torch_grads = torch.autograd.grad((h * torch.from_numpy(cotangent)).sum(), torch_zs)
pairs = list(zip([*zs, *grads], [*torch_zs, *torch_grads], strict=True))
largest = max(float(np.abs(ours - theirs.detach().numpy()).max()) for ours, theirs in pairs)
print(f"largest difference: {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## Choosing $\sigma$
#
# Demand that a layer leaves the variance of $z$ as it was: $n\sigma^2\, \overline{h^2} =
# \operatorname{Var}(z)$. Where $f$ is close to the line $f(z) = z$, as tanh is near zero, $\overline{h^2} =
# \operatorname{Var}(z)$ and so $\sigma^2 = 1/n$. ReLU throws away the negative half, $\overline{h^2} =
# \frac12 \operatorname{Var}(z)$, and so $\sigma^2 = 2/n$.
#
# Going backward the same sum runs over a layer's outputs. *Xavier initialization* settles between the two
# counts, $\sigma^2 = 2/(n_\text{in} + n_\text{out})$; *He initialization* takes $\sigma^2 = 2 /
# n_\text{in}$.


# %%
def xavier_normal(n_out, n_in, rng):
    """A (n_out, n_in) weight with variance 2 / (n_in + n_out); Glorot and Bengio 2010, eq. 12."""
    return rng.normal(scale=np.sqrt(2 / (n_in + n_out)), size=(n_out, n_in))


def xavier_uniform(n_out, n_in, rng):
    """As `xavier_normal`, evenly spread: a uniform on (-a, a) has variance a² / 3; eq. 16."""
    bound = np.sqrt(6 / (n_in + n_out))
    return rng.uniform(-bound, bound, size=(n_out, n_in))


def he_normal(n_out, n_in, rng):
    """A (n_out, n_in) weight with variance 2 / n_in, for ReLU; He et al. 2015, eq. 10."""
    return rng.normal(scale=np.sqrt(2 / n_in), size=(n_out, n_in))


def gaussian(scale):
    """An initialization that ignores the shape: every weight has standard deviation `scale`."""
    return lambda n_out, n_in, rng: rng.normal(scale=scale, size=(n_out, n_in))


# %% [markdown]
# ## The measurement
#
# Now a deep network, each layer as wide as the last, inputs and cotangent with standard deviation one. All
# of it runs in float64, because the bad starts leave float32's range on the way. Read a row from left to
# right: the signal goes in and comes out, the gradient goes in at the last layer and comes out at the
# first.

# %%
depth, width, batch_size = 50, 256, 64
cases = {
    "zero, tanh": (gaussian(0.0), "tanh"),
    "too small, tanh": (gaussian(0.01), "tanh"),
    "too large, tanh": (gaussian(1.0), "tanh"),
    "Xavier, tanh": (xavier_normal, "tanh"),
    "Xavier, ReLU": (xavier_normal, "relu"),
    "He, ReLU": (he_normal, "relu"),
}
x = rng.normal(size=(batch_size, width))  # (B, D)
cotangent = rng.normal(size=(batch_size, width))  # (B, D)
signal, gradient = {}, {}
print(f"{'standard deviation':20s}{'z, first':>12s}{'z, last':>12s}{'grad, last':>12s}{'grad, first':>12s}")
for name, (init, activation) in cases.items():
    weights = [init(width, width, rng) for _ in range(depth)]
    zs, grads = propagate(x, weights, activation, cotangent)
    signal[name] = np.array([z.std() for z in zs])  # (depth,)
    gradient[name] = np.array([grad.std() for grad in grads])  # (depth,)
    ends = signal[name][0], signal[name][-1], gradient[name][-1], gradient[name][0]
    print(f"{name:20s}" + "".join(f"{end:12.2e}" for end in ends))

# %% [markdown]
# Zero weights pass on nothing, in either direction. Too small, and the last layers hear nothing of the
# input, the first nothing of the loss. Too large, and tanh hides it on the way forward: it saturates, most
# outputs sit near one or minus one, and the signal looks healthy. The gradient tells.

# %%
assert not signal["zero, tanh"].any() and not gradient["zero, tanh"][:-1].any()
assert signal["too small, tanh"][-1] < 1e-30 and gradient["too small, tanh"][0] < 1e-30
assert 8 < signal["too large, tanh"].min() < signal["too large, tanh"].max() < 32
assert gradient["too large, tanh"][0] > 1e15
assert signal["Xavier, ReLU"][-1] < 1e-6 and gradient["Xavier, ReLU"][0] < 1e-6
for name in ("He, ReLU", "Xavier, tanh"):
    assert 0.03 < signal[name][-1] < 3 and 0.1 < gradient[name][0] / gradient[name][-1] < 10

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
layers = np.arange(1, depth + 1)
styles = {"too small, tanh": "--", "too large, tanh": "-.", "Xavier, tanh": ":", "Xavier, ReLU": "o-"}
for name in list(cases)[1:]:  # a logarithm cannot show the zeros
    style = {"markevery": 7, "markersize": 4}
    left.semilogy(layers, signal[name], styles.get(name, "-"), label=name, **style)
    right.semilogy(layers, gradient[name], styles.get(name, "-"), label=name, **style)
left.set(xlabel="layer", ylabel="standard deviation of z", title="Forward: too large looks fine", ylim=1e-42)
right.set(xlabel="layer", ylabel="standard deviation of dL/dz", title="Backward: too large explodes")
left.legend(fontsize=8)
fig.suptitle("Only a start that fits the activation keeps both level (zero weights pass nothing on)")
plt.show()

# %% [markdown]
# Xavier with tanh is not perfectly level: tanh lies under its tangent, so each layer loses a little, and
# less the quieter it gets. How fast, we only measure.

# %%
decay = signal["Xavier, tanh"]
print("Xavier, tanh, every tenth layer: " + "  ".join(f"{value:.3f}" for value in decay[::10]))
assert np.all(np.diff(decay[::10]) < 0)
assert decay[20] / decay[10] < decay[40] / decay[30]

# %% [markdown]
# ## Does the rate match the rule?
#
# For ReLU the theory has no such doubt: from layer to layer the mean square of $z$ is multiplied by
# $n\sigma^2 \cdot \frac12$, which is $1$ under He and $\frac12$ under Xavier. One network is one draw of
# its weights, and noisy. So we take several, and the geometric mean of the ratio over all layers and
# draws.


# %%
def squares_by_layer(init, width, depth, rng):
    """mean(z²) over units and examples at every layer of one ReLU network and one batch: (depth,)."""
    h, squares = rng.normal(size=(32, width)), []  # (B, D)
    for _ in range(depth):
        z = h @ init(width, width, rng).T  # (B, D) @ (D, D) -> (B, D)
        squares.append(np.mean(z * z))
        h = np.maximum(z, 0.0)
    return np.array(squares)


for name, init, theory in (("He", he_normal, 1.0), ("Xavier", xavier_normal, 0.5)):
    draws = np.array([squares_by_layer(init, 512, depth, rng) for _ in range(5)])  # (5, depth)
    ratio = np.exp(np.diff(np.log(draws), axis=1).mean())  # geometric mean
    print(f"{name:20s} ratio a layer: theory {theory}, measured {ratio:.4f}")
    assert abs(ratio / theory - 1) < 0.03

# %% [markdown]
# ## The gain of any activation
#
# The factor that ReLU needed, $\sqrt2$, is its *gain*. For any $f$ fed with a standard normal $z$,
#
# $$\text{gain} = \frac{1}{\sqrt{\overline{f^2}}}, \qquad
#   \overline{f^2} = \int f(z)^2\, \frac{e^{-z^2/2}}{\sqrt{2\pi}}\, dz .$$
#
# The integral is the mean of $f^2$ when every $z$ counts as often as it occurs. We compute it instead of
# quoting, and put PyTorch's table beside it. (Leaky ReLU and SELU are ReLUs that let some of the negative
# side through.) Backward, a layer with $\sigma^2 = \text{gain}^2 / n$ multiplies the gradient's mean
# square by $\text{gain}^2\, \overline{f'^2}$.


# %%
def mean_squares(f):
    """(E[f(z)²], E[f'(z)²]) for a standard normal z; f: a torch function, element by element."""
    z = torch.linspace(-12, 12, 24_000, dtype=torch.float64, requires_grad=True)  # no point on a kink at 0
    values = f(z)  # (24000,)
    (slopes,) = torch.autograd.grad(values.sum(), z)
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)  # below 1e-31 at the ends
    return tuple(torch.trapezoid(v * v * density, z).item() for v in (values, slopes))


functions = {
    "linear": lambda z: 1.0 * z,
    "relu": torch.relu,
    "leaky_relu": nn.functional.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "selu": nn.functional.selu,
}
gains, backward_factors = {}, {}
print(f"{'activation':20s}{'integrated':>12s}{'PyTorch':>12s}{'backward':>12s}")
for name, f in functions.items():
    value_square, slope_square = mean_squares(f)
    gains[name] = 1 / math.sqrt(value_square)
    backward_factors[name] = gains[name] ** 2 * slope_square
    print(f"{name:20s}{gains[name]:12.4f}{nn.init.calculate_gain(name):12.4f}{backward_factors[name]:12.3f}")

# %% [markdown]
# Where $f$ is two straight lines that meet at zero, the columns agree, and one gain serves both
# directions. Elsewhere they do not: PyTorch's $5/3$ for tanh, $1$ for sigmoid and $3/4$ for SELU are
# conventions. And the gain that holds tanh's signal level makes its gradient grow with every layer.

# %%
for name in ("linear", "relu", "leaky_relu"):
    assert abs(gains[name] - nn.init.calculate_gain(name)) < 1e-5
    assert abs(backward_factors[name] - 1) < 1e-5
for name in ("tanh", "sigmoid", "selu"):
    assert abs(gains[name] / nn.init.calculate_gain(name) - 1) > 0.03
assert backward_factors["tanh"] > 1.1

# %% [markdown]
# ## Why not equal weights?
#
# One number for all weights has a variance too: zero. Then all neurons of a layer compute the same, get
# the same gradient, and stay the same for ever. Randomness lets them become different: it *breaks the
# symmetry*. We watch it on handwritten digits, pixels scaled to mean zero and variance one.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
n_train = 1400
center, spread = images[:n_train].mean(), images[:n_train].std()
inputs = torch.from_numpy((images - center) / spread)  # (1797, 64)
targets = torch.from_numpy(labels)  # (1797,)


def train(model, inputs, targets, n_steps, learning_rate, batch_size=128):
    """Plain gradient descent on random batches of the training digits; returns the loss at every step."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses = []
    for _ in range(n_steps):
        batch = torch.randint(n_train, (batch_size,), generator=generator)
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# Three starts for the weights of a small network, and its hidden neurons afterwards. Their rows of weights
# are as long as the image has pixels, so we can look at them as images.

# %%
starts = {
    "all 0": nn.init.zeros_,
    "all 0.1": lambda weight: nn.init.constant_(weight, 0.1),
    "random": nn.init.xavier_normal_,
}
hidden_weights = {}
for name, start in starts.items():
    model = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)).double()
    for linear in model[::2]:
        start(linear.weight)
        nn.init.zeros_(linear.bias)
    losses = train(model, inputs, targets, n_steps=200, learning_rate=0.1)
    hidden_weights[name] = model[0].weight.detach().numpy()  # (8, 64): one row a neuron
    gap = np.abs(hidden_weights[name] - hidden_weights[name][0]).max()
    print(f"{name:20s}loss {losses[0]:.3f} -> {losses[-1]:.3f}   largest gap between neurons {gap:.1e}")

# %% [markdown]
# Equal neurons stay equal, yet the loss falls: many copies are as good as one neuron. (Where a machine
# adds two copies up in different orders they differ by rounding, and long training would amplify that.
# Nobody should wait for it.) From all zeros not even one neuron learns: either layer multiplies the
# other's gradient by zero, and only the last bias moves.

# %%
for name in ("all 0", "all 0.1"):
    assert np.abs(hidden_weights[name] - hidden_weights[name][0]).max() < 1e-9
assert not hidden_weights["all 0"].any()
assert np.ptp(hidden_weights["all 0.1"][0]) > 0.1
assert np.abs(np.diff(hidden_weights["random"], axis=0)).max(axis=1).min() > 0.1

fig, axes = plt.subplots(2, 6, figsize=(10, 4), layout="constrained")
for row, name in zip(axes, ("all 0.1", "random")):
    for i, ax in enumerate(row):
        image = hidden_weights[name][i].reshape(8, 8)  # (64,) -> (8, 8)
        drawn = ax.imshow(image, cmap="RdBu", vmin=-0.6, vmax=0.6)
        ax.set(xticks=[], yticks=[], xlabel=f"neuron {i + 1}")
    row[0].set_ylabel(f"start: {name}")
fig.colorbar(drawn, ax=axes, label="weight")
fig.suptitle("Neurons that start equal stay equal; neurons that start random stay different")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.init` fills a tensor in place, and counts $n_\text{in}$ and $n_\text{out}$ from its shape. He
# initialization goes by its author's first name there, Kaiming. PyTorch draws other numbers than NumPy, so
# we compare distributions: the variance, the largest weight, and the largest gap between the two sorted
# samples in units of the spread.

# %%
shape = (300, 700)  # (n_out, n_in)
pairs = {
    "xavier_normal": (xavier_normal, nn.init.xavier_normal_),
    "xavier_uniform": (xavier_uniform, nn.init.xavier_uniform_),
    "he_normal": (he_normal, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu")),
}
for name, (ours, theirs) in pairs.items():
    a = np.sort(ours(*shape, rng), axis=None)  # (210000,)
    b = np.sort(theirs(torch.empty(shape, dtype=torch.float64)).numpy(), axis=None)  # (210000,)
    middle = slice(len(a) // 100, -len(a) // 100)  # the extremes of a normal are noisy
    gap = np.abs(a - b)[middle].max() / b.std()
    print(f"{name:20s}variance ratio {a.var() / b.var():.4f}   largest gap {gap:.4f}")
    assert abs(a.var() / b.var() - 1) < 0.02 and gap < 0.05
    if name == "xavier_uniform":
        bound = np.sqrt(6 / sum(shape))
        print(f"{'bound':20s}{bound:.5f}, largest weight {b[-1]:.5f}, ours {a[-1]:.5f}")
        assert 0.999 * bound < min(a[-1], b[-1]) <= max(a[-1], b[-1]) <= bound

# %% [markdown]
# Beware of the default. An `nn.Linear` fresh from the box is neither Xavier nor He: its weights have
# variance $1/(3n_\text{in})$, which is too quiet for a deep network. Small networks do not mind.

# %%
default = nn.Linear(700, 300).weight.detach()  # (300, 700)
print(f"nn.Linear's default: variance times inputs {700 * default.var().item():.4f}")
assert abs(700 * default.var().item() - 1 / 3) < 0.01

# %% [markdown]
# ## What it does to training
#
# A deep network on the digits, plain gradient descent in float32. Only the starting weights differ between
# the runs. The loss of knowing nothing is $\ln 10$.

# %%
starts = {
    "zero": nn.init.zeros_,
    "too small": lambda weight: nn.init.normal_(weight, std=0.01),
    "too large": lambda weight: nn.init.normal_(weight, std=0.5),
    "Xavier": nn.init.xavier_normal_,
    "He": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
}


def deep_network(activation, start, depth=20, width=64):
    """An MLP of `depth` linear layers from 64 pixels to 10 scores, its weights filled by `start`."""
    layers = []
    for n_in, n_out in itertools.pairwise([64] + [width] * (depth - 1) + [10]):
        linear = nn.Linear(n_in, n_out)
        start(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])  # no activation after the scores


curves = {}
print(f"{'':20s}{'first loss':>12s}{'last loss':>12s}{'held out':>12s}")
for activation, (name, start) in itertools.product((nn.ReLU, nn.Tanh), starts.items()):
    torch.manual_seed(0)
    model = deep_network(activation, start)
    losses = train(model, inputs.float(), targets, n_steps=250, learning_rate=0.02)
    curves[activation.__name__, name] = losses
    accuracy = (model(inputs[n_train:].float()).argmax(dim=1) == targets[n_train:]).double().mean()
    last = np.mean(losses[-50:])
    print(f"{activation.__name__ + ', ' + name:20s}{losses[0]:12.3g}{last:12.3g}{accuracy:12.1%}")

# %% [markdown]
# Under ReLU only He learns. A quieter start, Xavier's too, stays by the guesser's loss, since next to no
# gradient reaches its first layers; a louder one overflows to NaN within a few steps. Tanh does not
# overflow, but too large a start saturates it and it learns nothing either. Both careful starts train it,
# and He's, the louder one, is the faster: the theory of one straight line is not all there is to tanh.

# %%
late = {run: np.mean(losses[-50:]) for run, losses in curves.items()}
guess = math.log(10)
for activation, name in itertools.product(("ReLU", "Tanh"), ("zero", "too small")):
    assert abs(late[activation, name] - guess) < 0.05
assert late["ReLU", "Xavier"] > 2 > 1 > late["ReLU", "He"]
assert math.isnan(late["ReLU", "too large"]) and late["Tanh", "too large"] > 2
assert late["Tanh", "He"] < late["Tanh", "Xavier"] < 0.5

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, activation in ((left, "ReLU"), (right, "Tanh")):
    for name, style in zip(starts, ("-", "--", "-.", ":", "o-")):
        smooth = np.convolve(curves[activation, name], np.full(10, 0.1), mode="valid")  # mean of ten steps
        ax.plot(np.arange(5, 5 + len(smooth)), smooth, style, label=name, markevery=40, markersize=4)
    ax.axhline(guess, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="step", ylim=(0, 3))
left.set(ylabel="loss (nats), mean of ten steps", title="ReLU: only He learns (too large: NaN)")
right.set(title="Tanh: Xavier learns, He learns faster")
right.legend(fontsize=8, loc="center right")
plt.show()

# %% [markdown]
# ## What to remember
#
# - A layer multiplies the mean square of its inputs by $n\sigma^2$, and depth takes that to a power.
# - Xavier, $2/(n_\text{in} + n_\text{out})$, for activations that are straight near zero; He,
#   $2/n_\text{in}$, for ReLU; `nn.Linear`'s default is neither.
# - Forward looks healthy under a saturated tanh; look at the gradients too.
# - Random, because equal neurons stay equal. Biases may start at zero.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. In the measurement, give tanh weights of standard deviation `gains["tanh"] / np.sqrt(width)`. Which of
#    its two curves is level now?
# 2. Train the deep ReLU network under Xavier ten times as long. Does it ever leave the guesser's loss?
# 3. Give `deep_network` a start that leaves the weights alone. Where does `nn.Linear`'s default end?
#
# ## Sources
#
# - X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
#   AISTATS 2010, section 4.2.
# - K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, section 2.2: ReLU's one
#   half.
# - E. Alpaydin, C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI, 1998: the data.
