# %% [markdown]
# # 6.5 Weight initialization: how large a deep network's weights must start
#
# A message is passed down a long line of people. If each tells it a little more quietly than he heard it,
# the last hears nothing, and if each tells it a little louder, the last hears shouting. In a deep network
# before training, each layer passes numbers on to the next, and the size of its random weights decides how
# large these numbers become. The same holds for the gradients on their way back. So with the wrong starting
# weights a deep network may learn next to nothing.
#
# How large must the weights be? Two papers gave the answers that are built into every library, Xavier and
# He initialization. They made it possible to train networks with dozens of layers.
#
# **You will build** the rule behind both, forward and backward, measure it through fifty layers, and see
# which starts let a network learn. **You need** variance (2.8), ReLU and tanh (5.2), and the backward
# pass of a layer (6.2). The lesson runs for about half a minute.

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
# A neuron has two inputs, $3$ and $4$. Each of its weights is $+\frac12$ or $-\frac12$, decided by the
# toss of a coin. There are four equally likely neurons:
#
# $$\begin{aligned}
#   +\tfrac12 \cdot 3 + \tfrac12 \cdot 4 &= 3.5 & \qquad +\tfrac12 \cdot 3 - \tfrac12 \cdot 4 &= -0.5 \\
#   -\tfrac12 \cdot 3 + \tfrac12 \cdot 4 &= 0.5 & -\tfrac12 \cdot 3 - \tfrac12 \cdot 4 &= -3.5
# \end{aligned}$$
#
# The outputs average to zero. Their variance is the mean of their squares, and it is the variance of a
# weight times the sum of the squared inputs:
#
# $$\tfrac14 \left( 3.5^2 + 0.5^2 + 0.5^2 + 3.5^2 \right) = 6.25 = \tfrac14 \cdot (3^2 + 4^2) .$$

# %%
outputs = [w1 * 3 + w2 * 4 for w1, w2 in itertools.product((0.5, -0.5), repeat=2)]
print(f"outputs {outputs}   mean {np.mean(outputs)}   variance {np.var(outputs)}")
assert np.var(outputs) == 0.5**2 * (3**2 + 4**2)

# %% [markdown]
# ## The rule forward
#
# The rule does not need coins, and it holds for more than two inputs. Take any $n$ inputs $x_i$, and $n$
# independent weights with mean zero and variance $\sigma^2$. The square of $z = \sum_i w_i x_i$ has terms
# with $w_i^2$ and terms with two different weights, $w_i w_j$. The latter are zero on average, because the
# weights are independent and have the mean zero. What remains is
#
# $$\operatorname{Var}(z) = \sum_i \sigma^2 x_i^2 = n_\text{in}\, \sigma^2\, \overline{x^2}, \qquad
#   \overline{x^2} = \frac{1}{n_\text{in}} \sum_i x_i^2 .$$
#
# So a layer multiplies the mean square of its inputs by $n_\text{in} \sigma^2$, and a deep network does
# this again and again. Does a small error matter?

# %%
n = 256
n_neurons = 4000
x = rng.exponential(size=n)  # (n,): neither symmetric nor with mean zero, and it does not matter
weight = rng.normal(scale=0.1, size=(n_neurons, n))
z = weight @ x  # (n_neurons, n) @ (n,) -> (n_neurons,)
predicted = n * 0.1**2 * np.mean(x**2)
print(f"variance of z: predicted {predicted:.2f}, measured {z.var():.2f}")
assert abs(z.var() / predicted - 1) < 4 * np.sqrt(2 / n_neurons)  # four standard errors

for factor in (0.9, 1.0, 1.1):
    print(f"a factor of {factor} in each of 50 layers: {factor**50:.4f}")

# %% [markdown]
# A factor only a tenth too small leaves half a percent after fifty layers, and one a tenth too large
# gives more than a hundredfold.
#
# Between two layers comes the activation $f$. If it is close to the line $f(z) = z$, as tanh is near zero,
# the next layer's inputs have the mean square $\operatorname{Var}(z)$, and the sizes stay level if
# $n_\text{in} \sigma^2 = 1$. With weights that are as likely positive as negative, $z$ has both signs
# equally often. ReLU sets the negative half to zero, so $\overline{h^2} = \frac12
# \operatorname{Var}(z)$, and the sizes stay level if $n_\text{in} \sigma^2 = 2$.
#
# ## The rule backward
#
# Now we look at the gradients. On the way back (6.2) each input of a layer adds up what comes from all
# the layer's outputs:
#
# $$\frac{\partial L}{\partial h_j} = \sum_{i=1}^{n_\text{out}} \frac{\partial L}{\partial z_i}\, W_{ij}
#   \qquad \Rightarrow \qquad
#   \overline{\left(\frac{\partial L}{\partial h}\right)^{\!2}}
#   = n_\text{out}\, \sigma^2\; \overline{\left(\frac{\partial L}{\partial z}\right)^{\!2}} .$$
#
# It is the same sum over independent weights, only over the outputs. (That the weights are independent of
# the gradients is an assumption, and a good one at the start.) The slope of the activation acts as
# before: near one for tanh close to zero, zero for half of the ReLU units. So for tanh we would like to
# have both
#
# $$n_\text{in}\, \sigma^2 = 1 \quad \text{(forward)} \qquad \text{and} \qquad
#   n_\text{out}\, \sigma^2 = 1 \quad \text{(backward)},$$
#
# and for ReLU $2$ in place of $1$. Unless the layer is square, no $\sigma$ satisfies both. *Xavier
# initialization* puts the average of the two widths in place of either,
# $\sigma^2 = 2 / (n_\text{in} + n_\text{out})$. *He initialization*, for ReLU, takes the forward condition
# alone, $\sigma^2 = 2 / n_\text{in}$. What happens to its gradients? From $z_l$ back to $z_{l-1}$ their
# mean square is multiplied by $n_l \cdot \frac{2}{n_{l-1}} \cdot \frac12 = n_l / n_{l-1}$. Over all layers
# these quotients cancel,
#
# $$\frac{n_2}{n_1} \cdot \frac{n_3}{n_2} \cdots \frac{n_L}{n_{L-1}} = \frac{n_L}{n_1} ,$$
#
# and what is left depends on the first and the last width alone, however deep the network is. That is why
# He may ignore the backward condition.


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


activations = {  # name: (function, slope)
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


def propagate(x, weights, activation, grad_out):
    """z and dL/dz at every layer of a network without biases (they would start at zero).

    x: (B, n_0), weights: a list of (n_l, n_{l-1}) arrays, activation: a key of `activations`,
    grad_out: (B, n_L), the loss's gradient at the last layer's output.
    Returns two lists with a (B, n_l) array for each layer. Raises ValueError if shapes do not chain.
    """
    f, slope = activations[activation]
    zs = []
    for weight in weights:
        if x.shape[1] != weight.shape[1]:
            raise ValueError(f"inputs have shape {x.shape} but the weight has shape {weight.shape}")
        zs.append(x @ weight.T)  # (B, n_in) @ (n_in, n_out) -> (B, n_out)
        x = f(zs[-1])
    if grad_out.shape != x.shape:
        raise ValueError(f"the output has shape {x.shape} but its gradient {grad_out.shape}")
    grads = []
    grad_h = grad_out
    for z, weight in zip(reversed(zs), reversed(weights)):
        grad_z = grad_h * slope(z)  # (B, n_out)
        grad_h = grad_z @ weight  # (B, n_out) @ (n_out, n_in) -> (B, n_in)
        grads.append(grad_z)
    return zs, grads[::-1]


# %% [markdown]
# First a check against autograd, on a few narrow layers with random gradients at the output, which is a
# vector-Jacobian product (6.1). Then we test the cancelling quotients on twenty ReLU layers with widths
# that alternate, and He's weights. The mean square of their gradient should shrink to a quarter from the
# last layer to the first, because the last is a quarter as wide.

# %%
small_x = rng.normal(size=(3, 5))
small_weights = [rng.normal(size=shape) for shape in ((7, 5), (2, 7), (4, 2))]
small_grad = rng.normal(size=(3, 4))
zs, grads = propagate(small_x, small_weights, "tanh", small_grad)
torch_h = torch.from_numpy(small_x)
torch_zs = []
for weight in small_weights:
    torch_zs.append(nn.functional.linear(torch_h, torch.from_numpy(weight)).requires_grad_())
    torch_h = torch_zs[-1].tanh()
torch_grads = torch.autograd.grad((torch_h * torch.from_numpy(small_grad)).sum(), torch_zs)
for ours, theirs in zip([*zs, *grads], [*torch_zs, *torch_grads], strict=True):
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-10, atol=1e-12)

widths = [256] + [512, 128] * 10
ratios = []
for _ in range(10):
    alternating = [he_normal(n_out, n_in, rng) for n_in, n_out in itertools.pairwise(widths)]
    _, grads = propagate(rng.normal(size=(32, 256)), alternating, "relu", rng.normal(size=(32, 128)))
    ratios.append(np.mean(grads[0] ** 2) / np.mean(grads[-1] ** 2))
measured_ratio = np.exp(np.mean(np.log(ratios)))  # geometric mean over the ten draws
print("mean square of the gradient, first / last layer:", end=" ")
print(f"predicted {128 / 512}, measured {measured_ratio:.3f}")

# %% [markdown]
# ## Fifty layers
#
# Now a deep network with layers of equal width, inputs and output gradients of standard deviation one,
# and six different starts. It is computed in float64, because the bad starts leave the range of float32.
# Read a row of the table like a round trip: $z$ at the first and the last layer, then the gradient at the
# last and the first. Which rows do you expect to stay level?

# %%
depth = 50
width = 256
cases = {
    "zero, tanh": (gaussian(0.0), "tanh"),
    "too small, tanh": (gaussian(0.01), "tanh"),
    "too large, tanh": (gaussian(1.0), "tanh"),
    "Xavier, tanh": (xavier_normal, "tanh"),
    "Xavier, ReLU": (xavier_normal, "relu"),
    "He, ReLU": (he_normal, "relu"),
}
deep_x = rng.normal(size=(64, width))  # (B, n)
deep_grad = rng.normal(size=(64, width))  # (B, n)
signal = {}
gradient = {}
print(f"{'standard deviation':20s}{'z, first':>12s}{'z, last':>12s}{'grad, last':>12s}{'grad, first':>12s}")
for name, (init, activation) in cases.items():
    weights = [init(width, width, rng) for _ in range(depth)]
    zs, grads = propagate(deep_x, weights, activation, deep_grad)
    signal[name] = np.array([z.std() for z in zs])  # (depth,)
    gradient[name] = np.array([grad.std() for grad in grads])  # (depth,)
    ends = signal[name][0], signal[name][-1], gradient[name][-1], gradient[name][0]
    print(f"{name:20s}" + "".join(f"{end:12.2e}" for end in ends))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
layers = np.arange(1, depth + 1)
styles = ("--", "-.", ":", "o-", "s-")
for name, style in zip(list(cases)[1:], styles):  # a logarithmic axis cannot show the zeros
    left.semilogy(layers, signal[name], style, label=name, markevery=7, markersize=4)
    right.semilogy(layers, gradient[name], style, label=name, markevery=7, markersize=4)
left.set(xlabel="layer", ylabel="standard deviation of z", title="Forward", ylim=1e-42)
right.set(xlabel="layer", ylabel="standard deviation of ∂L/∂z", title="Backward (from right to left)")
left.legend(fontsize=8)
plt.show()

# %% [markdown]
# With zero weights nothing passes in either direction. With weights that are too small, the last layers
# get nothing of the input and the first get nothing of the gradient. With weights that are too large the
# left panel looks healthy, but only because tanh saturates: most outputs are close to one or minus one.
# The right panel shows the damage, since the gradient explodes. So it is not enough to look at the
# forward pass.
#
# He with ReLU stays level in both directions. Xavier with ReLU loses a factor of two in the mean square
# at every layer. Xavier with tanh is nearly level, but sinks slowly in both directions, because tanh lies
# under its tangent. The smaller the numbers become, the straighter tanh is for them, and the slower they
# sink.
#
# ## Why not equal weights?
#
# If all weights of a layer are equal, their size may be right, and it is still a wrong start. All neurons
# of the layer then compute the same and get the same gradient, so they stay the same. Random weights let
# them become different, which is called *symmetry breaking*. How much does it matter? We train a small
# network on handwritten digits, from three starts, and look at its hidden neurons. Each has as many
# weights as the image has pixels, so it can be drawn as an image.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
n_train = 1200
n_valid = 300  # to choose learning rates; the rest is the test set
center = images[:n_train].mean()
spread = images[:n_train].std()
inputs = torch.from_numpy((images - center) / spread)  # (1797, 64)
targets = torch.from_numpy(labels)  # (1797,)


def train(model, inputs, targets, n_steps, learning_rate, batch_size=128, seed=0):
    """Plain SGD on random batches of the training digits; returns the loss before every step.

    Raises ValueError if batch_size is below one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses = []
    for _ in range(n_steps):
        batch = torch.randint(n_train, (batch_size,), generator=generator)  # a batch drawn by index
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


symmetry_starts = {
    "all 0": nn.init.zeros_,
    "all 0.1": lambda weight: nn.init.constant_(weight, 0.1),
    "random": nn.init.xavier_normal_,
}
hidden_weights = {}
symmetry_losses = {}
for name, start in symmetry_starts.items():
    model = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)).double()
    for linear in model[::2]:
        start(linear.weight)
        nn.init.zeros_(linear.bias)
    losses = train(model, inputs, targets, n_steps=200, learning_rate=0.1)
    symmetry_losses[name] = losses
    hidden_weights[name] = model[0].weight.detach().numpy()  # (8, 64): one row for each neuron
    gap = np.abs(hidden_weights[name] - hidden_weights[name][0]).max()
    print(f"{name:20s}loss {losses[0]:.3f} -> {losses[-1]:.3f}   largest gap between neurons {gap:.1e}")

fig, axes = plt.subplots(2, 6, figsize=(10, 4), layout="constrained")
for row, name in zip(axes, ("all 0.1", "random")):
    for i, ax in enumerate(row):
        image = hidden_weights[name][i].reshape(8, 8)  # (64,) -> (8, 8)
        drawn = ax.imshow(image, cmap="RdBu", vmin=-0.6, vmax=0.6)
        ax.set(xticks=[], yticks=[], xlabel=f"neuron {i + 1}")
    row[0].set_ylabel(f"start: {name}")
fig.colorbar(drawn, ax=axes, label="weight")
fig.suptitle("Weights of six hidden neurons after training, from two starts")
plt.show()

# %% [markdown]
# In the upper row all neurons are the same image. The loss still falls, because eight copies are as good as
# one neuron, but not as far as with eight different ones. From all zeros not even one neuron learns. The
# hidden outputs are zero, so the last weights get no gradient, and the last weights are zero, so no
# gradient gets back to the first ones. Only the last biases move. (With three other seeds the last losses
# were nearly the same. All starts have the same learning rate.)
#
# ## What it does to training
#
# Which starts let a deep network learn, and does a small network need such care? We train ReLU networks
# with 3 and with 20 layers on the digits. Only the starting weights differ, and one of the starts is what
# an `nn.Linear` has by default (a variance of $1/(3 n_\text{in})$). Each start gets its own best learning
# rate, chosen on the validation digits with one seed, and is then trained with three seeds. If all ten
# digits are equally likely, the loss is $\ln 10$.

# %%
starts = {
    "too small": lambda weight: nn.init.normal_(weight, std=0.01),
    "nn.Linear's default": lambda weight: weight,  # leaves the weight as nn.Linear has drawn it
    "Xavier": nn.init.xavier_normal_,
    "He": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "too large": lambda weight: nn.init.normal_(weight, std=0.5),
}
rates = {3: (0.02, 0.1, 0.5, 2.0), 20: (0.005, 0.02, 0.1, 0.5)}  # learning rates to try, for each depth
n_steps = 100


def deep_network(activation, start, depth=20, width=64):
    """An MLP of `depth` linear layers from 64 pixels to 10 scores, its weights filled by `start`."""
    layers = []
    for n_in, n_out in itertools.pairwise([64] + [width] * (depth - 1) + [10]):
        linear = nn.Linear(n_in, n_out)
        start(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])  # no activation after the scores


def one_run(activation, start, depth, learning_rate, seed):
    """(losses, validation accuracy, test accuracy) of one training run in float32."""
    torch.manual_seed(seed)
    model = deep_network(activation, start, depth)
    losses = train(model, inputs.float(), targets, n_steps, learning_rate, seed=seed)
    with torch.no_grad():
        right = (model(inputs.float()).argmax(dim=1) == targets).double()  # (1797,)
    valid = slice(n_train, n_train + n_valid)
    return losses, right[valid].mean().item(), right[n_train + n_valid :].mean().item()


curves = {depth: {} for depth in rates}  # depth: {start: losses (3 seeds, n_steps)}
last_losses = {depth: {} for depth in rates}  # depth: {start: (3,)}
test_accuracies = {depth: {} for depth in rates}  # depth: {start: three numbers}
for depth, tried in rates.items():
    print(f"{f'{depth} layers':20s}{'best rate':>12s}{'last loss':>16s}{'test accuracy':>16s}")
    for name, start in starts.items():
        first_runs = [one_run(nn.ReLU, start, depth, rate, seed=0) for rate in tried]
        best = int(np.argmax([valid_accuracy for _, valid_accuracy, _ in first_runs]))
        best_rate = tried[best]
        runs = [first_runs[best]] + [one_run(nn.ReLU, start, depth, best_rate, seed) for seed in (1, 2)]
        curves[depth][name] = np.array([losses for losses, _, _ in runs])  # (3, n_steps)
        last = curves[depth][name][:, -10:].mean(axis=1)  # (3,)
        last_losses[depth][name] = last
        test = [accuracy for _, _, accuracy in runs]
        test_accuracies[depth][name] = test
        spans = f"{last.min():8.2f} to {last.max():.2f}{min(test):8.2f} to {max(test):.2f}"
        print(f"{name:20s}{best_rate:12.3f}{spans}")

guess = math.log(10)
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (depth, by_start) in zip(axes, curves.items()):
    for (name, lines), style in zip(by_start.items(), ("--", "-.", ":", "-", "o-")):
        smooth = np.convolve(lines.mean(axis=0), np.full(5, 0.2), mode="valid")  # mean of five steps
        ax.plot(np.arange(2, 2 + len(smooth)), smooth, style, label=name, markevery=15, markersize=4)
    ax.axhline(guess, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="step", ylim=(0, 3), title=f"{depth} layers with ReLU")
axes[0].set_ylabel("training loss (nats), mean of three seeds")
axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# With three layers the default, Xavier and He all learn the digits, and only much too small weights lose
# time. Too large ones fit the training digits as well, but do worse on the test digits. With twenty layers
# only He gets going within these steps. The default stays at $\ln 10$ even at its best rate. By the rule,
# each of its hidden layers leaves $\frac13 \cdot \frac12$ of the gradient's mean square, and eighteen such
# steps leave about $10^{-14}$, so next to nothing reaches the first layer. Too large weights give NaN and
# leave the figure. (The best rates of these two lie at the edge of our grid, but rates of up to 5 for the
# default and down to $10^{-7}$ for the large weights gave the same.) All this holds for 64 units in each
# layer and these few steps. Other seeds gave the same order, in the slowest case with a last loss of 1.8
# for He. With twice the steps Xavier begins to learn, too, and batch norm (lesson 8.3) or residual
# connections (lesson 9.4) make deep networks less sensitive to their start.
#
# ## The same in PyTorch
#
# `nn.init` fills a tensor in place. It reads $n_\text{in}$ and $n_\text{out}$ from the shape, and it
# calls He initialization by its author's first name, Kaiming. PyTorch draws other random numbers than
# NumPy, so we compare distributions: the variance, and the largest gap between the two sorted samples, in
# standard deviations.

# %%
shape = (300, 700)  # (n_out, n_in)
torch_inits = {
    "xavier_normal": (xavier_normal, nn.init.xavier_normal_),
    "xavier_uniform": (xavier_uniform, nn.init.xavier_uniform_),
    "he_normal": (he_normal, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu")),
}
for name, (ours, theirs) in torch_inits.items():
    a = np.sort(ours(*shape, rng), axis=None)  # (210000,)
    b = np.sort(theirs(torch.empty(shape, dtype=torch.float64)).numpy(), axis=None)  # (210000,)
    middle = slice(len(a) // 100, -len(a) // 100)  # the extremes of a normal distribution are noisy
    gap = np.abs(a - b)[middle].max() / b.std()
    print(f"{name:20s}variance ratio {a.var() / b.var():.4f}   largest gap {gap:.4f}")
    assert abs(a.var() / b.var() - 1) < 0.02 and gap < 0.05
default = nn.Linear(700, 300).weight.detach()  # (300, 700)
default_factor = 700 * default.var().item()
print(f"nn.Linear's default: variance times inputs {default_factor:.4f}")

# %% [markdown]
# The distributions agree. The default's $n_\text{in} \sigma^2$ is a third, where ReLU would need two.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert abs(measured_ratio / 0.25 - 1) < 0.4, "He's gradient changes by the ratio of the last and first widths"
assert not signal["zero, tanh"].any(), "zero weights pass nothing forward"
assert not gradient["zero, tanh"][:-1].any(), "zero weights pass nothing backward"
assert signal["too small, tanh"][-1] < 1e-30, "too small: the last layers get nothing"
assert gradient["too small, tanh"][0] < 1e-30, "too small: the first layers get no gradient"
assert 0.5 < signal["too large, tanh"][-1] / signal["too large, tanh"][0] < 2, (
    "too large looks healthy forward"
)
assert gradient["too large, tanh"][0] > 1e15, "too large: the gradient explodes"
he_signal = signal["He, ReLU"][-1] / signal["He, ReLU"][0]
he_gradient = gradient["He, ReLU"][0] / gradient["He, ReLU"][-1]
assert 0.3 < he_signal < 3, "He with ReLU stays level forward"
assert 0.3 < he_gradient < 3, "He with ReLU stays level backward"
xavier_relu = (signal["Xavier, ReLU"][-1] / signal["Xavier, ReLU"][0]) ** (2 / (50 - 1))
assert abs(xavier_relu - 0.5) < 0.05, "Xavier with ReLU loses a factor of two at every layer"
sinking = signal["Xavier, tanh"][::10]  # (5,): every tenth layer
assert np.all(np.diff(sinking) < 0), "Xavier with tanh sinks slowly"
assert gradient["Xavier, tanh"][0] < 0.5 * gradient["Xavier, tanh"][-1], (
    "its gradient sinks on the way back, too"
)
assert sinking[2] / sinking[1] < sinking[4] / sinking[3], "it sinks more and more slowly"
assert np.abs(hidden_weights["all 0.1"] - hidden_weights["all 0.1"][0]).max() < 1e-9, (
    "equal neurons stay equal"
)
assert symmetry_losses["random"][-1] < symmetry_losses["all 0.1"][-1] - 0.3, (
    "eight different neurons learn more"
)
assert not hidden_weights["all 0"].any(), "from all zeros no neuron learns"
assert all(last_losses[3][name].max() < 0.5 for name in ("nn.Linear's default", "Xavier", "He")), (
    "with three layers the default, Xavier and He learn"
)
careful = [min(test_accuracies[3][name]) for name in ("nn.Linear's default", "Xavier", "He")]
assert last_losses[3]["too large"].max() < 0.5, "with three layers too large weights fit the training digits"
assert max(test_accuracies[3]["too large"]) < min(careful), (
    "with three layers too large weights do worse on the test digits"
)
assert last_losses[20]["He"].max() < 1.6, "with twenty layers He gets going with every seed"
others = [last_losses[20][name].min() for name in ("too small", "nn.Linear's default", "Xavier")]
assert min(others) > 2, "with twenty layers no other start does within these steps"
assert abs(default_factor - 1 / 3) < 0.01, "the default's variance times inputs is a third"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It computes the right size for any activation, which lesson 7.5 uses, and
# looks at deep tanh networks.
#
# ### The gain of any activation
#
# ReLU needs weights that are $\sqrt2$ times as large as those for a straight line. Such a factor is
# called the *gain* of an activation. For any $f$ it follows from the mean of $f(z)^2$ for a normally
# distributed $z$ with variance one. A mean over a continuous quantity is a sum over narrow slices of $z$,
# each weighted with the share of values that fall into it, and its limit is written with the integral
# sign:
#
# $$\text{gain} = \frac{1}{\sqrt{\overline{f^2}}}, \qquad
#   \overline{f^2} = \int f(z)^2\, \frac{e^{-z^2/2}}{\sqrt{2\pi}}\, dz .$$
#
# The fraction is the normal density (2.8) and $dz$ the width of a slice. We compute the sum with many
# slices and put PyTorch's table beside it. The last column says by which factor a layer with this gain
# multiplies the gradient's mean square, $\text{gain}^2 \cdot \overline{f'^2}$. (Leaky ReLU and SELU let
# some of the negative side through.)


# %%
def mean_squares(f):
    """(mean of f(z)², mean of f'(z)²) for a standard normal z; f: a torch function, element by element."""
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
gains = {}
backward_factors = {}
print(f"{'gain':20s}{'computed':>12s}{'PyTorch':>12s}{'backward':>12s}")
for name, f in functions.items():
    value_square, slope_square = mean_squares(f)
    gains[name] = 1 / math.sqrt(value_square)
    backward_factors[name] = gains[name] ** 2 * slope_square
    table_gain = nn.init.calculate_gain(name)
    print(f"{name:20s}{gains[name]:12.4f}{table_gain:12.4f}{backward_factors[name]:12.3f}")

# %% [markdown]
# If $f$ consists of two straight lines that meet at zero, the columns agree and one gain suits both
# directions. For the others they do not: PyTorch's $5/3$ for tanh, $1$ for sigmoid and $3/4$ for SELU are
# conventions. And the gain that keeps tanh's signal level makes its gradient grow.
#
# ### Does the rate match the rule?
#
# For ReLU the theory gives the factor from layer to layer exactly, $n \sigma^2 \cdot \frac12$. One
# network is one noisy draw, so we take the geometric mean over all layers of several.


# %%
def squares_by_layer(init, width, depth, rng):
    """mean(z²) over units and examples at every layer of one ReLU network and one batch: (depth,)."""
    h = rng.normal(size=(32, width))  # (B, n)
    squares = []
    for _ in range(depth):
        z = h @ init(width, width, rng).T  # (B, n) @ (n, n) -> (B, n)
        squares.append(np.mean(z * z))
        h = np.maximum(z, 0.0)
    return np.array(squares)


measured_rates = {}
for name, init, theory in (("He", he_normal, 1.0), ("Xavier", xavier_normal, 0.5)):
    draws = np.array([squares_by_layer(init, 512, 50, rng) for _ in range(5)])  # (5, 50)
    measured_rates[name] = np.exp(np.diff(np.log(draws), axis=1).mean())  # geometric mean
    print(f"{name:20s}factor from layer to layer: theory {theory}, measured {measured_rates[name]:.4f}")

# %% [markdown]
# ### Deep tanh networks
#
# Xavier was made for tanh. Is it also the better start for it? We take twenty layers again, three starts,
# and three seeds, all at one learning rate.

# %%
tanh_losses = {}
print(f"{'20 layers, tanh':20s}{'last loss':>16s}")
for name in ("nn.Linear's default", "Xavier", "He"):
    runs = [one_run(nn.Tanh, starts[name], 20, learning_rate=0.1, seed=seed) for seed in range(3)]
    tanh_losses[name] = np.array([np.mean(losses[-10:]) for losses, _, _ in runs])  # (3,)
    print(f"{name:20s}{tanh_losses[name].min():8.2f} to {tanh_losses[name].max():.2f}")

# %% [markdown]
# Both careful starts train the network, and the default does not. With most seeds He's larger weights are
# even the faster ones (with seven of the eight that we tried, at this rate). So the argument of the
# straight line is not all there is to tanh.

# %%
for name in ("linear", "relu", "leaky_relu"):
    assert abs(gains[name] - nn.init.calculate_gain(name)) < 1e-5, "for two straight lines the table agrees"
    assert abs(backward_factors[name] - 1) < 1e-5, "and one gain suits both directions"
for name in ("tanh", "sigmoid", "selu"):
    assert abs(gains[name] / nn.init.calculate_gain(name) - 1) > 0.03, (
        "for the others the table is a convention"
    )
assert backward_factors["tanh"] > 1.1, "the gain that keeps tanh's signal level makes its gradient grow"
assert abs(measured_rates["He"] - 1) < 0.03, "He keeps the mean square of a ReLU network"
assert abs(measured_rates["Xavier"] / 0.5 - 1) < 0.03, "Xavier halves the mean square of a ReLU network"
assert tanh_losses["Xavier"].max() < 1 and tanh_losses["He"].max() < 1, "both careful starts train it"
assert np.median(tanh_losses["He"]) < np.median(tanh_losses["Xavier"]), "He is mostly the faster one"
assert tanh_losses["nn.Linear's default"].min() > 2, "the default does not train twenty tanh layers"

# %% [markdown]
# ## What to remember
#
# - Forward, a layer multiplies the mean square by $n_\text{in} \sigma^2$, backward by $n_\text{out}
#   \sigma^2$, and depth raises that to a power.
# - Xavier, $2/(n_\text{in} + n_\text{out})$, for activations that are straight near zero; He,
#   $2/n_\text{in}$, for ReLU. `nn.Linear`'s default is neither, and too small for deep networks.
# - With saturated tanh the forward pass looks healthy, so look at the gradients as well.
# - Weights start random, because equal neurons stay equal. Biases may start at zero.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `cases`, give the large tanh weights the scale `1.6 / np.sqrt(width)`, which is about the gain of
#    tanh. Which of its two curves in the first figure is level now, and what does the other do?
# 2. Give the networks twice the time, `n_steps = 200`. Does Xavier leave $\ln 10$ then? Look at the third
#    figure.
# 3. From a blank cell: draw orthogonal weights, whose rows have length one and are at right angles to
#    each other, with `np.linalg.qr` of a random matrix, and send `deep_x` through fifty of them without
#    an activation. What are the standard deviations of $z$ at the first and the last layer, and how does
#    `he_normal` do beside it?
#
# ## Sources
#
# - X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
#   AISTATS 2010, section 4.2. Reproduced: "Xavier with tanh sinks slowly".
# - K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, section 2.2: ReLU's one
#   half, and why one condition is enough. Reproduced: "with twenty layers He gets going with every seed".
# - E. Alpaydin, C. Kaynak, _Optical Recognition of Handwritten Digits_, UCI, 1998: the data.
