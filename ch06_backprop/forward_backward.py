# %% [markdown]
# # 6.2 Forward and backward: one computation and its mirror image
#
# Think of a river delta filmed from above, and the film then played in reverse. Forward, data runs through
# the layers and ends in one number, the loss. Backward, the same channels carry blame the other way. Every
# line of the forward pass has one partner, and knowing the pairs is knowing backpropagation.
#
# **You will build** layers that can run both ways, and find out what that costs in memory and in work.
# **You need** the chain rule for vectors (6.1) and the network of lesson 5.6.

# %%
import csv
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One input $x = 2$, two hidden units with weights $1$ and $-1$, and a ReLU: $z = (2, -2)$, $h = (2, 0)$.
# Output weights $3$ and $5$ give $y = 6$. The target is $4$, so the squared error is $4$.
#
# Back again: the loss changes by $2(y - 4) = 4$ for each unit of $y$. The output weights get
# $4h = (8, 0)$. The hidden units get $4 \cdot (3, 5) = (12, 20)$, but the second one is blocked:
# $(12, 0)$. The first weights get that times $x$: $(24, 0)$.

# %%
x, target = np.array([[2.0]]), np.array([[4.0]])  # one example: (1, 1) and (1, 1)
weight1, weight2 = np.array([[1.0], [-1.0]]), np.array([[3.0, 5.0]])  # (2, 1) and (1, 2): (n_out, n_in)

z = x @ weight1.T  # (1, 1) @ (1, 2) -> (1, 2)
h = np.maximum(z, 0)
y = h @ weight2.T  # (1, 2) @ (2, 1) -> (1, 1)
loss = np.mean((y - target) ** 2)

grad_y = 2 * (y - target) / y.size
grad_weight2 = grad_y.T @ h  # (1, 1) @ (1, 2) -> (1, 2)
grad_h = grad_y @ weight2  # (1, 1) @ (1, 2) -> (1, 2)
grad_z = grad_h * (z > 0)
grad_weight1 = grad_z.T @ x  # (2, 1) @ (1, 1) -> (2, 1)
print(f"loss {loss}   grad_weight2 {grad_weight2[0]}   grad_weight1 {grad_weight1[:, 0]}")
assert loss == 4 and grad_weight2.tolist() == [[8, 0]] and grad_weight1.tolist() == [[24], [0]]

# %% [markdown]
# ## The pairs
#
# Read the cell above from its middle outward, and the partners face each other:
#
# | forward | backward | must have been kept |
# | --- | --- | --- |
# | $Y = X W^\top + b$ | $\bar X = \bar Y W$, $\;\bar W = \bar Y^\top X$, $\;\bar b = \sum_i \bar Y_i$ | $X$ |
# | $H = \max(Z, 0)$ | $\bar Z = \bar H \odot [Z > 0]$ | where $Z > 0$ |
# | $L = \text{mean}\, (Y - T)^2$ | $\bar Y = 2 (Y - T) / \text{size}$ | $Y - T$ |
#
# As in lesson 6.1, a bar means "derivative of the loss along"; the bracket is one where $Z > 0$, zero
# elsewhere. Lesson 5.6 derived the first two rows; they hold for any network made of such lines.
#
# ## Layers that run both ways
#
# Put both lines into one object, with a memory for what the second needs from the first. Every matrix
# product goes through one function, which notes how many multiplications it took: we ask for the bill
# later.

# %%
products = []  # multiplications in each matrix product since the last clear()


def product(a, b):
    """a @ b for (m, k) and (k, n), with m·k·n noted in `products`."""
    products.append(a.shape[0] * a.shape[1] * b.shape[1])
    return a @ b  # (m, k) @ (k, n) -> (m, n)


class Linear:
    """y = x @ weight.T + bias, weights normal with standard deviation 1/√n_in, bias zero."""

    def __init__(self, n_in, n_out, rng, dtype=np.float64):
        self.weight = (rng.normal(size=(n_out, n_in)) / np.sqrt(n_in)).astype(dtype)
        self.bias = np.zeros(n_out, dtype=dtype)

    def forward(self, x):
        """x: (B, n_in), result: (B, n_out). Raises ValueError where x has another width."""
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            raise ValueError(f"input has shape {x.shape} but the weight {self.weight.shape}")
        self.x = x
        return product(x, self.weight.T) + self.bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)

    def backward(self, cotangent, want_input=True):
        """From ∂L/∂y (B, n_out) to ∂L/∂x (B, n_in), or None if unwanted; fills the parameters' gradients."""
        self.grad_weight = product(cotangent.T, self.x)  # (n_out, B) @ (B, n_in) -> (n_out, n_in)
        self.grad_bias = cotangent.sum(axis=0)  # (n_out,)
        return product(cotangent, self.weight) if want_input else None  # (B, n_out) @ (n_out, n_in)


# %% [markdown]
# ReLU keeps one bit of news for each number, whether it passed. The loss is where the way back begins: its
# `backward` takes no cotangent, because $\partial L / \partial L = 1$.


# %%
class ReLU:
    """max(x, 0), element by element; no gradient at the kink, as in PyTorch."""

    def forward(self, x):
        self.passed = x > 0
        return np.maximum(x, 0)

    def backward(self, cotangent):
        return cotangent * self.passed


class MSE:
    """Mean of the squared errors over all elements."""

    def forward(self, y, target):
        """y, target: any one shape; raises ValueError where the two differ, which NumPy might broadcast."""
        if y.shape != target.shape:
            raise ValueError(f"the output has shape {y.shape} but the target {target.shape}")
        self.error = y - target
        return float(np.mean(self.error**2))

    def backward(self):
        return 2 * self.error / self.error.size


# %% [markdown]
# A network is a list of layers. Forward walks down the list, backward walks up. The first layer's input is
# data, which nobody wants to change, so its gradient is not computed.


# %%
def build(sizes, rng, dtype=np.float64):
    """Linear layers of sizes[0] -> ... -> sizes[-1], with a ReLU between each two."""
    layers = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        layers += [Linear(n_in, n_out, rng, dtype), ReLU()]
    return layers[:-1]


def forward(layers, x):
    """The output of the last layer, for an input x of the first: (B, sizes[0]) -> (B, sizes[-1])."""
    for layer in layers:
        x = layer.forward(x)
    return x


def backward(layers, cotangent):
    """Fill the gradients of all layers, given the loss's along the output; `layers[0]` must be Linear."""
    for layer in reversed(layers[1:]):
        cotangent = layer.backward(cotangent)
    layers[0].backward(cotangent, want_input=False)


# %% [markdown]
# ## Penguins on the scales
#
# The work: guess a penguin's mass from its bill and its flipper. All numbers are in standard deviations
# from the training birds' mean.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

n_train = 200
measurements = rng.permutation(measurements)  # rows in a random order
center, spread = measurements[:n_train].mean(axis=0), measurements[:n_train].std(axis=0)  # each (4,)
standard = (measurements - center) / spread  # (n, 4)
x, t = standard[:n_train, :3], standard[:n_train, 3:]  # (200, 3) and (200, 1)
test_x, test_t = standard[n_train:, :3], standard[n_train:, 3:]
print(f"{len(x)} birds to train on, {len(test_x)} held out")

# %% [markdown]
# Before training, the check: central differences of the loss, one parameter at a time, all of them.

# %%
layers, criterion = build([3, 16, 16, 1], rng), MSE()
first_loss = criterion.forward(forward(layers, x), t)
backward(layers, criterion.backward())


def pairs(layers):
    """Every parameter array with its gradient: [(weight, grad_weight), (bias, grad_bias), ...]."""
    linears = [layer for layer in layers if isinstance(layer, Linear)]
    both = [((layer.weight, layer.grad_weight), (layer.bias, layer.grad_bias)) for layer in linears]
    return [pair for two in both for pair in two]


largest, nudge = 0.0, 1e-6
for parameter, grad in [(parameter, grad.copy()) for parameter, grad in pairs(layers)]:
    for index in np.ndindex(parameter.shape):
        kept, losses = parameter[index], []
        for step in (nudge, -nudge):
            parameter[index] = kept + step
            losses.append(criterion.forward(forward(layers, x), t))
        parameter[index] = kept
        largest = max(largest, abs((losses[0] - losses[1]) / (2 * nudge) - grad[index]))
n_parameters = sum(parameter.size for parameter, _ in pairs(layers))
print(f"{n_parameters} parameters, largest difference to the measured slope {largest:.1e}")
assert largest < 1e-7

# %% [markdown]
# ## What must be kept
#
# Forward alone could forget each layer's input at once. With backward ahead, all of it stays until its
# partner has run. Count it: each Linear keeps $B \cdot n_\text{in}$ numbers, each ReLU one byte for every
# number it saw. Parameters do not depend on the batch; this *cache* does.


# %%
def cache_bytes(layers):
    """Bytes that the layers hold on to between forward and backward."""
    return sum(layer.x.nbytes if isinstance(layer, Linear) else layer.passed.nbytes for layer in layers)


wide_sizes = [512] * 9  # eight layers
wide = build(wide_sizes, rng, np.float32)
parameter_bytes = sum(layer.weight.nbytes + layer.bias.nbytes for layer in wide[::2])
print(f"{'batch size':20s}{'cache (MB)':>12s}{'weights (MB)':>14s}")
for batch_size in (1, 32, 1024):
    forward(wide, rng.normal(size=(batch_size, 512)).astype(np.float32))
    print(f"{batch_size:<20d}{cache_bytes(wide) / 1e6:12.3f}{parameter_bytes / 1e6:14.3f}")
    by_formula = batch_size * (4 * sum(wide_sizes[:-1]) + sum(wide_sizes[1:-1]))
    assert cache_bytes(wide) == by_formula
assert cache_bytes(wide) > parameter_bytes

# %% [markdown]
# So a batch that fits into memory when the network is only used may not fit in training. What to do then:
# smaller batches, or drop part of the cache and compute it a second time on the way back.
#
# ## What it costs
#
# Multiplications are nearly all in the matrix products. Forward has one for each layer. Backward has two,
# one for $\bar W$ and one for $\bar X$, each with as many multiplications, except that the first layer
# skips $\bar X$. For $k$ layers of one width that is
#
# $$\frac{\text{backward}}{\text{forward}} = \frac{2k - 1}{k} \;\to\; 2 .$$
#
# We count, and hold the clock beside it: medians over rounds in which both take turns.

# %%
batch = rng.normal(size=(256, 512)).astype(np.float32)
depths, counted, measured = (1, 2, 4, 8), [], []
for depth in depths:
    network = build([512] * (depth + 1), rng, np.float32)
    seconds = []
    for _ in range(9):
        products.clear()
        start = time.perf_counter()
        out = forward(network, batch)
        middle, n_forward = time.perf_counter(), sum(products)
        products.clear()
        backward(network, out)
        seconds.append((middle - start, time.perf_counter() - middle))
        n_backward = sum(products)
    counted.append(n_backward / n_forward)
    forward_time, backward_time = np.median(seconds[1:], axis=0)  # the first round warms up
    measured.append(backward_time / forward_time)
    print(f"{depth} layers   backward / forward: counted {counted[-1]:.3f}, measured {measured[-1]:.2f}")
    assert counted[-1] == (2 * depth - 1) / depth

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.axhline(2, color="0.7", linewidth=0.8, zorder=0)
ax.plot(depths, counted, "o-", color="C0", label="multiplications, counted")
ax.plot(depths, measured, "s--", color="C1", label="time, on this machine")
ax.set(xlabel="layers", ylabel="backward / forward", ylim=(0, None), xticks=depths)
ax.set_title("Counted, backward tends to two forward passes")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## The other direction
#
# One could also carry derivatives *forward*, as the dual numbers of lesson 2.3 did: pick one parameter,
# and follow what its nudge does to every later number. Each line has a partner for that, too, the
# *tangent*, written with a dot:
#
# $$\dot Y = \dot X W^\top + X \dot W^\top + \dot b, \qquad \dot H = \dot Z \odot [Z > 0], \qquad
#   \dot L = \tfrac{2}{\text{size}} \textstyle\sum (Y - T) \odot \dot Y .$$
#
# Nothing need be kept. But one walk answers for one direction only.


# %%
def tangent_pass(layers, x, target, directions):
    """d(loss) when parameter i moves along directions[i], all arrays in the order of `pairs`."""
    directions, x_dot = iter(directions), np.zeros_like(x)
    for layer in layers:
        if isinstance(layer, Linear):
            weight_dot, bias_dot = next(directions), next(directions)
            # each (B, n_in) @ (n_in, n_out) -> (B, n_out)
            x_dot = product(x_dot, layer.weight.T) + product(x, weight_dot.T) + bias_dot
        else:
            x_dot = x_dot * (x > 0)
        x = layer.forward(x)
    return float(2 * np.mean((x - target) * x_dot))


products.clear()
start = time.perf_counter()
slopes = []
for i, (parameter, _) in enumerate(pairs(layers)):
    for index in np.ndindex(parameter.shape):
        directions = [np.zeros_like(p) for p, _ in pairs(layers)]
        directions[i][index] = 1.0
        slopes.append(tangent_pass(layers, x, t, directions))
forward_mode = len(products), 1000 * (time.perf_counter() - start)

products.clear()
start = time.perf_counter()
criterion.forward(forward(layers, x), t)
backward(layers, criterion.backward())
reverse_mode = len(products), 1000 * (time.perf_counter() - start)

# %% [markdown]
# Both give the same gradient. *Reverse mode* needs one walk for each output, *forward mode* one for each
# input. A loss is one output and the parameters are many inputs: that decides it. With one input and many
# outputs it would be the other way round.

# %%
print(f"{'':20s}{'products':>12s}{'ms':>12s}")
for name, (n_products, milliseconds) in (("forward mode", forward_mode), ("reverse mode", reverse_mode)):
    print(f"{name:20s}{n_products:12,d}{milliseconds:12.1f}")
grad = np.concatenate([grad.ravel() for _, grad in pairs(layers)])  # (n_parameters,)
np.testing.assert_allclose(slopes, grad, rtol=1e-10, atol=1e-12)
assert forward_mode[0] == 9 * n_parameters and reverse_mode[0] == 3 + 5

# %% [markdown]
# ## How the gradient flows
#
# In a deep network each mirrored line also mirrors what happens to sizes. We send penguins through many
# layers, and watch the size of the numbers on the way there and of the gradients on the way back.


# %%
def gradient_flow(layers, x, target):
    """Root mean square of each Linear's output, and of the gradient there: two lists, in layer order."""
    signal, flow = [], []
    for layer in layers:
        x = layer.forward(x)
        if isinstance(layer, Linear):
            signal.append(float(np.sqrt(np.mean(x**2))))
    criterion = MSE()
    criterion.forward(x, target)
    cotangent = criterion.backward()
    for layer in reversed(layers):
        if isinstance(layer, Linear):
            flow.append(float(np.sqrt(np.mean(cotangent**2))))
        cotangent = layer.backward(cotangent)
    return signal, flow[::-1]


deep = build([3] + [128] * 12 + [1], rng)
signal, flow = gradient_flow(deep, x, t)
signal, flow = np.array(signal[:-1]), np.array(flow[:-1])  # hidden layers, (12,) each
print(f"signal: last / first {signal[-1] / signal[0]:.4f}   gradient: first / last {flow[0] / flow[-1]:.4f}")
assert signal[-1] < 0.2 * signal[0] and flow[0] < 0.2 * flow[-1]

n_crossed = len(signal) - 1  # from the first hidden layer to the last, or back
kept = (signal[-1] / signal[0]) ** (2 / n_crossed), (flow[0] / flow[-1]) ** (2 / n_crossed)
print(f"each layer keeps of the mean square: forward {kept[0]:.2f}, backward {kept[1]:.2f}")
assert 0.4 < min(kept) < max(kept) < 0.6

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
hidden_layers = np.arange(1, len(signal) + 1)
left.semilogy(hidden_layers, signal / signal[0], "o-", color="C0")
left.set(xlabel="layer", ylabel="size of the output / first layer's")
left.set_title("Forward, the signal fades to the right")
right.semilogy(hidden_layers, flow / flow[-1], "s-", color="C1")
right.set(xlabel="layer", ylabel="size of the gradient there / last layer's")
right.set_title("Backward, the gradient fades to the left")
for ax, ends in ((left, ((0.62, 0.92), (0.38, 0.92))), (right, ((0.38, 0.92), (0.62, 0.92)))):
    ax.annotate("", *ends, xycoords="axes fraction", arrowprops={"arrowstyle": "-|>", "color": "0.4"})
plt.show()

# %% [markdown]
# With these starting weights each layer keeps about half of the mean square that arrives: its ReLU blocks
# the other half, in both directions. In a dozen layers that leaves the first ones little to learn from.
# Lesson 6.5 finds the weights that stop the fading; our two hidden layers do not need them yet.
#
# ## Training
#
# The loop is the one of lesson 3.3, now with layers that know their part.

# %%
first_parameters = [parameter.copy() for parameter, _ in pairs(layers)]
learning_rate, n_steps = 0.1, 300
losses = []
for step in range(n_steps):
    losses.append(criterion.forward(forward(layers, x), t))
    backward(layers, criterion.backward())
    for parameter, grad in pairs(layers):
        parameter -= learning_rate * grad
    if step % 60 == 0:
        print(f"step {step:3d}   loss {losses[-1]:.4f}")

# %% [markdown]
# In grams: how far off is it on birds that it has not seen, beside always guessing the average bird?

# %%
test_y = forward(layers, test_x)  # (n_test, 1)
test_error, guess_error = (
    float(np.sqrt(np.mean((guess - test_t) ** 2)) * spread[3]) for guess in (test_y, np.zeros_like(test_t))
)
print(f"root mean square error on held-out birds: {test_error:.0f} g, the average bird {guess_error:.0f} g")
assert losses[-1] < 0.5 * losses[0] and test_error < 0.7 * guess_error

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, color="C1")
left.set(xlabel="step", ylabel="mean squared error", title="The loss falls fast, then slowly", ylim=(0, None))
masses = center[3] + spread[3] * np.column_stack([test_t, test_y])  # (n_test, 2): true and predicted
right.plot(*masses.T, "o", color="0.2", markersize=4, fillstyle="none", label="held-out penguins")
right.axline(masses.mean(axis=0), slope=1, color="0.7", linewidth=0.8, zorder=0, label="perfect")
right.set(xlabel="true mass (g)", ylabel="predicted mass (g)", title="Unseen penguins lie near the line")
right.legend()
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Linear`, `nn.ReLU` and `nn.MSELoss` are these three objects; autograd walks the list backward for us.
# We copy the weights from before training and compare first all gradients, then the loss of every step.

# %%
model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)).double()
with torch.no_grad():
    for parameter, first in zip(model.parameters(), first_parameters, strict=True):
        parameter.copy_(torch.from_numpy(first))
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
loss_function = nn.MSELoss()
inputs, targets = torch.from_numpy(x), torch.from_numpy(t)

torch_losses = []
for step in range(n_steps):
    loss = loss_function(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    if step == 0:
        grads = [parameter.grad.flatten() for parameter in model.parameters()]
        torch_grad = torch.cat(grads)  # (n_parameters,)
    optimizer.step()
    torch_losses.append(loss.item())

np.testing.assert_allclose(slopes, torch_grad, rtol=1e-10, atol=1e-12)
largest = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses, strict=True))
print(f"largest difference between the two loss curves: {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# ## What to remember
#
# - Backward is forward read in a mirror: the same layers in reverse order, one partner for each line.
# - A linear layer keeps its input, a ReLU which numbers it let through. This cache grows with the batch
#   and the depth.
# - Backward costs about two forward passes, whatever the number of parameters.
# - One output, many inputs: reverse mode. That is why networks can be trained at all.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Let `ReLU` keep its output instead of `passed`. It needs no memory of its own then: why?
# 2. Call `forward` on a second batch before `backward`. Whose gradients do you get?
# 3. Draw the gradient flow again with the weights of `deep` multiplied by $\sqrt2$.
#
# ## Sources
#
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   *Nature* 323, 1986.
# - A. Griewank, A. Walther, *Evaluating Derivatives*, 2nd edition, 2008, chapter 3: forward and reverse
#   mode, and their costs.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
