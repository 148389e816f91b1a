# %% [markdown]
# # 6.2 Forward and backward: each layer has a backward partner
#
# A route through the mountains can be walked in both directions, and on the way back the same places come
# in reverse order. Training a network is such a round trip. The forward pass (5.4) goes through the layers
# from the data to the loss, and the *backward pass* goes through the same layers in reverse order, from the
# loss to the first weights, and gives every weight its gradient. For every line of the forward pass there
# is a partner in the backward pass, and somebody who knows the pairs can write the backward pass of any
# network.
#
# What does the way back need, and what does it cost? The answer decides how large a model fits into the
# memory of a GPU, and how long its training takes.
#
# **You will build** layers that run in both directions, train them, and count their memory and their
# work. **You need** the squared error (3.2), a layer as a matrix product (5.4), a network trained without
# autograd (5.6), and the chain rule for vectors (6.1).

# %%
import csv
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One input $x = 2$ goes into two hidden units with the weights $1$ and $-1$ and ReLU, then into one
# output with the weights $3$ and $5$. The target is $4$. Forward, from top to bottom:
#
# $$\begin{aligned}
#   z &= (1 \cdot 2, \; -1 \cdot 2) = (2, -2) \\
#   h &= \max(z, 0) = (2, 0) \\
#   y &= 3 \cdot 2 + 5 \cdot 0 = 6 \\
#   L &= (y - 4)^2 = 4
# \end{aligned}$$
#
# Backward we visit the same lines in reverse order. A weight gets the gradient of its output times its
# input, an input gets the gradient times the weight, and ReLU lets the gradient through where $z$ was
# positive.
#
# $$\begin{aligned}
#   \tfrac{\partial L}{\partial y} &= 2 (y - 4) = 4 \\
#   \text{output weights:} \quad & 4 \cdot h = (8, 0), \qquad
#   \tfrac{\partial L}{\partial h} = 4 \cdot (3, 5) = (12, 20) \\
#   \tfrac{\partial L}{\partial z} &= (12, 0), \text{ because } z_2 \text{ was negative} \\
#   \text{hidden weights:} \quad & (12, 0) \cdot x = (24, 0)
# \end{aligned}$$
#
# In code an array with the name `grad_z` has the shape of `z` and holds $\partial L / \partial z$.

# %%
paper_x = np.array([[2.0]])  # (1, 1): one example with one number
paper_weight1 = np.array([[1.0], [-1.0]])  # (2, 1): (n_out, n_in)
paper_weight2 = np.array([[3.0, 5.0]])  # (1, 2)

z = paper_x @ paper_weight1.T  # (1, 1) @ (1, 2) -> (1, 2)
h = np.maximum(z, 0)
y = h @ paper_weight2.T  # (1, 2) @ (2, 1) -> (1, 1)
paper_loss = np.mean((y - 4) ** 2)

grad_y = 2 * (y - 4) / y.size
grad_weight2 = grad_y.T @ h  # (1, 1) @ (1, 2) -> (1, 2)
grad_h = grad_y @ paper_weight2  # (1, 1) @ (1, 2) -> (1, 2)
grad_z = grad_h * (z > 0)
grad_weight1 = grad_z.T @ paper_x  # (2, 1) @ (1, 1) -> (2, 1)
print(f"loss {paper_loss}   grad_weight2 {grad_weight2[0]}   grad_weight1 {grad_weight1[:, 0]}")
assert paper_loss == 4 and grad_weight2.tolist() == [[8, 0]] and grad_weight1.tolist() == [[24], [0]]

# %% [markdown]
# ## The pairs
#
# Put each line beside its partner, and note what the partner needs to have been kept. The arrays hold a
# batch of $B$ examples, one in each row. Lesson 5.6 derived the first two pairs for one network, and they
# hold for every network made of such lines, because each needs only the gradient that arrives and what
# its own forward line has seen. ($[Z > 0]$ is one where $Z$ is positive and zero elsewhere, and $\odot$
# multiplies element by element.)
#
# | forward | backward | kept |
# | --- | --- | --- |
# | $Y = X W^\top + b$ | $\frac{\partial L}{\partial X} = \frac{\partial L}{\partial Y} W$ | |
# | | $\frac{\partial L}{\partial W} = \frac{\partial L}{\partial Y}^{\!\top} X$ | $X$ |
# | | $\frac{\partial L}{\partial b} = $ sum of the rows of $\frac{\partial L}{\partial Y}$ | |
# | $H = \max(Z, 0)$ | $\partial L / \partial Z = \partial L / \partial H \odot [Z > 0]$ | $[Z > 0]$ |
# | $L = \text{mean}\, (Y - T)^2$ | $\frac{\partial L}{\partial Y} = 2 (Y - T) / \text{size}$ | $Y - T$ |
#
# Now each pair becomes a class with two methods, and what must be kept becomes an attribute. All matrix
# products go through one function that counts the multiplications, because we will ask later what the
# passes cost.

# %%
multiplications = []  # one number for each matrix product since the last clear()


def matmul(a, b):
    """a @ b for (m, k) and (k, n); adds m·k·n to the list `multiplications`."""
    multiplications.append(a.shape[0] * a.shape[1] * b.shape[1])
    return a @ b  # (m, k) @ (k, n) -> (m, n)


class Linear:
    """y = x @ weight.T + bias, weights normal with standard deviation 1/√n_in, bias zero."""

    def __init__(self, n_in, n_out, rng, dtype=np.float64):
        self.weight = (rng.normal(size=(n_out, n_in)) / np.sqrt(n_in)).astype(dtype)
        self.bias = np.zeros(n_out, dtype=dtype)

    def forward(self, x):
        """x: (B, n_in), result: (B, n_out); keeps x itself. Raises ValueError if x has another width."""
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            raise ValueError(f"input has shape {x.shape} but the weight {self.weight.shape}")
        self.x = x
        return matmul(x, self.weight.T) + self.bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)

    def backward(self, grad_y, want_input=True):
        """Fill grad_weight, grad_bias from dL/dy (B, n_out); return dL/dx (B, n_in), or None if unwanted."""
        self.grad_weight = matmul(grad_y.T, self.x)  # (n_out, B) @ (B, n_in) -> (n_out, n_in)
        self.grad_bias = grad_y.sum(axis=0)  # (n_out,)
        return matmul(grad_y, self.weight) if want_input else None  # (B, n_out) @ (n_out, n_in)


class ReLU:
    """max(x, 0), element by element; no gradient at the kink, as in PyTorch."""

    def forward(self, x):
        self.passed = x > 0  # one byte for each number
        return np.maximum(x, 0)

    def backward(self, grad_y):
        return grad_y * self.passed


class MSE:
    """Mean of the squared errors over all elements."""

    def forward(self, y, target):
        """y, target: any one shape; raises ValueError if the two differ, which NumPy might broadcast."""
        if y.shape != target.shape:
            raise ValueError(f"the output has shape {y.shape} but the target {target.shape}")
        self.error = y - target
        return float(np.mean(self.error**2))

    def backward(self):
        """dL/dy. No gradient comes in: the backward pass starts here, with dL/dL = 1."""
        return 2 * self.error / self.error.size


# %% [markdown]
# A network is a list of layers. Forward walks down the list and backward walks up. The gradient of the
# first layer's input is left out, because the input is data, and data are not trained.


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


def backward(layers, grad_y):
    """Fill the gradients of all layers, given dL/dy of the output; `layers[0]` must be Linear."""
    for layer in reversed(layers[1:]):
        grad_y = layer.backward(grad_y)
    layers[0].backward(grad_y, want_input=False)


def parameters_and_grads(layers):
    """Every parameter array with its gradient: [(weight, grad_weight), (bias, grad_bias), ...]."""
    pairs = []
    for layer in layers:
        if isinstance(layer, Linear):
            pairs += [(layer.weight, layer.grad_weight), (layer.bias, layer.grad_bias)]
    return pairs


# %% [markdown]
# ## Do they work?
#
# The network should guess a penguin's mass from its bill and its flipper. All numbers are in standard
# deviations from the mean of the training birds. Before training, we compare _every_ gradient with a
# central difference (2.3) of the loss.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

n_train = 200
measurements = rng.permutation(measurements)  # rows in a random order
center = measurements[:n_train].mean(axis=0)  # (4,)
spread = measurements[:n_train].std(axis=0)  # (4,)
standard = (measurements - center) / spread  # (n, 4)
x, target = standard[:n_train, :3], standard[:n_train, 3:]  # (200, 3) and (200, 1)
test_x, test_target = standard[n_train:, :3], standard[n_train:, 3:]

layers = build([3, 16, 16, 1], rng)
criterion = MSE()
criterion.forward(forward(layers, x), target)
backward(layers, criterion.backward())


def measured_gradient(parameter, loss, h=1e-6):
    """Central differences of loss() along every entry of the array `parameter`, which is put back."""
    slopes = np.zeros_like(parameter)
    for index in np.ndindex(parameter.shape):
        value = parameter[index]
        parameter[index] = value + h
        up = loss()
        parameter[index] = value - h
        slopes[index] = (up - loss()) / (2 * h)
        parameter[index] = value
    return slopes


def current_loss():
    """The loss of `layers` on the training birds."""
    return criterion.forward(forward(layers, x), target)


first_pairs = [(parameter.copy(), grad.copy()) for parameter, grad in parameters_and_grads(layers)]
gaps = []
for parameter, grad in parameters_and_grads(layers):
    gaps.append(np.abs(measured_gradient(parameter, current_loss) - grad).max())
n_parameters = sum(parameter.size for parameter, _ in first_pairs)
print(f"{n_parameters} parameters, largest difference to the measured slope {max(gaps):.1e}")
assert max(gaps) < 1e-7

# %% [markdown]
# All gradients are right, so the training loop of lesson 3.3 can use them. All 200 birds fit into one
# batch, so it needs no loader. In grams, how far off will the network be on birds that it has not seen?
# For comparison we always guess the average bird.

# %%
learning_rate = 0.1
n_steps = 300
for (parameter, _), (first, _) in zip(parameters_and_grads(layers), first_pairs, strict=True):
    parameter[:] = first  # so that this cell, if it is run again, starts from the same weights
losses = []
for step in range(n_steps):
    losses.append(criterion.forward(forward(layers, x), target))
    backward(layers, criterion.backward())
    for parameter, grad in parameters_and_grads(layers):
        parameter -= learning_rate * grad
    if step % 60 == 0:
        print(f"step {step:3d}   loss {losses[-1]:.4f}")

predicted = forward(layers, test_x)  # (n_test, 1)
test_error = float(np.sqrt(np.mean((predicted - test_target) ** 2)) * spread[3])  # in grams
guess_error = float(np.sqrt(np.mean(test_target**2)) * spread[3])  # the average bird has the target zero
print(f"root mean square error on held-out birds: {test_error:.0f} g, the average bird {guess_error:.0f} g")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, color="C1")
left.set(xlabel="step", ylabel="mean squared error", title="Training loss", ylim=(0, None))
masses = center[3] + spread[3] * np.column_stack([test_target, predicted])  # (n_test, 2): true, predicted
right.plot(
    masses[:, 0], masses[:, 1], "o", color="C0", markersize=4, fillstyle="none", label="held-out birds"
)
right.axline(masses.mean(axis=0), slope=1, color="0.7", linewidth=0.8, zorder=0, label="no error")
right.set(xlabel="true mass (g)", ylabel="predicted mass (g)", title="Predictions on held-out birds")
right.legend()
plt.show()

# %% [markdown]
# The loss falls within the first few dozen steps and then only slowly. On the right most points lie near
# the line, and the error is well below that of the average bird. (With four other seeds the error was about
# the same share of it, four tenths.) Part of what remains may not be visible in a bill and a flipper.
#
# ## The same in PyTorch
#
# `nn.Linear`, `nn.ReLU` and `nn.MSELoss` are the same three pairs, and autograd walks the list backward
# for us. We copy the first weights and compare the first gradients and then the loss of every step.

# %%
model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)).double()
with torch.no_grad():
    for parameter, (first, _) in zip(model.parameters(), first_pairs, strict=True):
        parameter.copy_(torch.from_numpy(first))
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
loss_function = nn.MSELoss()
torch_x = torch.from_numpy(x)
torch_target = torch.from_numpy(target)

torch_losses = []
for step in range(n_steps):
    torch_loss = loss_function(model(torch_x), torch_target)
    optimizer.zero_grad()
    torch_loss.backward()
    if step == 0:
        for parameter, (_, grad) in zip(model.parameters(), first_pairs, strict=True):
            np.testing.assert_allclose(grad, parameter.grad, rtol=1e-10, atol=1e-12)
    optimizer.step()
    torch_losses.append(torch_loss.item())

loss_gap = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses, strict=True))
print(f"largest difference between the two loss curves: {loss_gap:.1e}")

# %% [markdown]
# The curves agree but for rounding.
#
# ## What must be kept
#
# If the network is only used, the input of a layer can be forgotten as soon as the layer has computed its
# output. If a backward pass follows, each layer must keep its input until its own backward step has run.
# What all layers keep together is called the *cache*. It holds $B \cdot n_\text{in}$ numbers for each
# linear layer and one byte for each number that a ReLU has seen. Which will be larger for a network of
# eight layers with 512 units, the weights or the cache?


# %%
def cache_bytes(layers):
    """Bytes that the layers hold on to between forward and backward."""
    return sum(layer.x.nbytes if isinstance(layer, Linear) else layer.passed.nbytes for layer in layers)


wide_sizes = [512] * 9  # eight layers
wide = build(wide_sizes, rng, np.float32)
weight_bytes = sum(layer.weight.nbytes + layer.bias.nbytes for layer in wide[::2])
caches = {}
print(f"{'batch size':20s}{'cache (MB)':>12s}{'weights (MB)':>14s}")
for batch_size in (1, 32, 1024):
    forward(wide, rng.normal(size=(batch_size, 512)).astype(np.float32))
    caches[batch_size] = cache_bytes(wide)
    print(f"{batch_size:<20d}{caches[batch_size] / 1e6:12.3f}{weight_bytes / 1e6:14.3f}")
    by_formula = batch_size * (4 * sum(wide_sizes[:-1]) + sum(wide_sizes[1:-1]))
    assert caches[batch_size] == by_formula

# %% [markdown]
# It depends on the batch: the cache grows in proportion to it, and the weights do not. For a single
# example the cache is small, for a large batch it is larger than all weights together. So a batch that
# fits into memory when the network is used may not fit when it is trained. Then one takes a smaller
# batch, or one keeps only some of the layers' inputs and computes the others a second time on the way
# back. PyTorch has this as `torch.utils.checkpoint` (see below).
#
# ## What it costs
#
# Nearly all multiplications are in the matrix products. A linear layer has one product forward and two
# backward, one for $\partial L / \partial W$ and one for $\partial L / \partial X$, each with as many
# multiplications as the first. Only the first layer skips the second of the two. For $k$ layers of one
# width that makes
#
# $$\frac{\text{backward}}{\text{forward}} = \frac{2k - 1}{k} \;\to\; 2 .$$
#
# Does the clock agree with the count? We take the shortest of several times, which keeps out most of what
# other programs do meanwhile.

# %%
batch = rng.normal(size=(256, 512)).astype(np.float32)
depths = (1, 2, 4, 8)
counted = []
timed = []
for depth in depths:
    network = build([512] * (depth + 1), rng, np.float32)
    seconds = []
    for _ in range(15):
        multiplications.clear()
        start = time.perf_counter()
        output = forward(network, batch)
        middle = time.perf_counter()
        n_forward = sum(multiplications)
        multiplications.clear()
        restart = time.perf_counter()
        backward(network, output)
        seconds.append((middle - start, time.perf_counter() - restart))
        n_backward = sum(multiplications)
    counted.append(n_backward / n_forward)
    forward_time, backward_time = np.min(seconds, axis=0)
    timed.append(backward_time / forward_time)
    print(f"{depth} layers   backward / forward: counted {counted[-1]:.3f}, timed {timed[-1]:.2f}")
    assert counted[-1] == (2 * depth - 1) / depth

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.axhline(2, color="0.7", linewidth=0.8, zorder=0)
ax.plot(depths, counted, "o-", color="C0", label="multiplications")
ax.plot(depths, timed, "s--", color="C1", label="time, on this machine")
ax.set(xlabel="layers", ylabel="backward / forward", ylim=(0, None), xticks=depths)
ax.set_title("Cost of the backward pass, in forward passes")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# The count rises from one to nearly two. The measured times need not agree with it, because a pass also
# adds biases and applies ReLU, and because other programs run meanwhile. The count depends on the number of
# layers only. So one backward pass computes the gradients of all parameters, and it takes at most as many
# multiplications as two forward passes, whether there are a hundred parameters or a billion.
#
# ## The other direction
#
# One could also carry derivatives _forward_, as the dual numbers of lesson 2.3 did. We choose a direction
# $d$ in which all parameters shall move, and compute along with every array how fast it changes, its
# *tangent*, written with a dot:
#
# $$\dot Y = \dot X W^\top + X \dot W^\top + \dot b, \qquad \dot H = \dot Z \odot [Z > 0], \qquad
#   \dot L = \tfrac{2}{\text{size}} \textstyle\sum (Y - T) \odot \dot Y .$$
#
# This is forward mode (2.3), and backpropagation is *reverse mode*. Forward mode needs no cache. But how
# many passes does it take to get the whole gradient?


# %%
def tangent_pass(layers, x, target, directions):
    """d(loss) when parameter i moves along directions[i], in the order of `parameters_and_grads`."""
    directions = iter(directions)
    x_dot = np.zeros_like(x)
    for layer in layers:
        if isinstance(layer, Linear):
            weight_dot = next(directions)
            bias_dot = next(directions)
            # each (B, n_in) @ (n_in, n_out) -> (B, n_out)
            x_dot = matmul(x_dot, layer.weight.T) + matmul(x, weight_dot.T) + bias_dot
        else:
            x_dot = x_dot * (x > 0)
        x = layer.forward(x)
    return float(2 * np.mean((x - target) * x_dot))


multiplications.clear()
start = time.perf_counter()
slopes = []
one_moves = [np.zeros_like(parameter) for parameter, _ in parameters_and_grads(layers)]
for part in one_moves:
    for index in np.ndindex(part.shape):
        part[index] = 1.0  # only this one parameter moves
        slopes.append(tangent_pass(layers, x, target, one_moves))
        part[index] = 0.0  # and stands still again
forward_mode = {"products": len(multiplications), "ms": 1000 * (time.perf_counter() - start)}

multiplications.clear()
start = time.perf_counter()
criterion.forward(forward(layers, x), target)
backward(layers, criterion.backward())
reverse_mode = {"products": len(multiplications), "ms": 1000 * (time.perf_counter() - start)}

print(f"{'':20s}{'products':>12s}{'ms':>12s}")
for name, cost in (("forward mode", forward_mode), ("reverse mode", reverse_mode)):
    print(f"{name:20s}{cost['products']:12,d}{cost['ms']:12.1f}")
flat_grad = np.concatenate([grad.ravel() for _, grad in parameters_and_grads(layers)])  # (n_parameters,)
np.testing.assert_allclose(slopes, flat_grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Both find the same gradient, but forward mode needs one pass for each parameter, and reverse mode one pass
# in all. A loss is one output of many inputs, and that decides the matter. With one input and many outputs
# it would be the other way round. If only the slope in a single direction is wanted, one forward pass is
# enough, too. It takes about as many products as a forward and a backward pass (nine here, one of them with
# zeros, against eight), and it uses nothing that a layer has kept. PyTorch has it as `torch.func.jvp` (a
# Jacobian-vector product):

# %%
parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
directions = {name: torch.randn_like(parameter) for name, parameter in parameters.items()}


def loss_at(parameters):
    """The loss of `model` with these parameters in place of its own."""
    return F.mse_loss(torch.func.functional_call(model, parameters, (torch_x,)), torch_target)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # some versions of PyTorch warn here of a part of their own
    _, torch_slope = torch.func.jvp(loss_at, (parameters,), (directions,))
our_slope = tangent_pass(layers, x, target, [direction.numpy() for direction in directions.values()])
print(f"slope along a random direction: ours {our_slope:.6f}, torch.func.jvp {torch_slope:.6f}")
np.testing.assert_allclose(our_slope, torch_slope, rtol=1e-6)  # both were trained: rounding differs

# %% [markdown]
# ## How the gradient flows
#
# What happens to the size of numbers in a deep network? Forward, a layer multiplies by its weights and
# ReLU sets about half of the numbers to zero. Backward, the gradient is multiplied by the same weights
# and ReLU blocks the same half. So what would you expect on the way back, compared with the way there? We
# send the penguins through many layers and record the root mean square of the numbers at every layer.


# %%
def gradient_flow(layers, x, target):
    """Root mean square of each Linear's output, and of the gradient there: two lists, in layer order."""
    signal = []
    for layer in layers:
        x = layer.forward(x)
        if isinstance(layer, Linear):
            signal.append(float(np.sqrt(np.mean(x**2))))
    criterion = MSE()
    criterion.forward(x, target)
    grad_y = criterion.backward()
    flow = []
    for layer in reversed(layers):
        if isinstance(layer, Linear):
            flow.append(float(np.sqrt(np.mean(grad_y**2))))
        grad_y = layer.backward(grad_y)
    return signal, flow[::-1]


deep = build([3] + [128] * 12 + [1], rng)
all_signal, all_flow = gradient_flow(deep, x, target)
signal = np.array(all_signal[:-1])  # (12,): the hidden layers
flow = np.array(all_flow[:-1])  # (12,)
n_crossed = len(signal) - 1  # layers between the first and the last
kept_forward = (signal[-1] / signal[0]) ** (2 / n_crossed)
kept_backward = (flow[0] / flow[-1]) ** (2 / n_crossed)
print(
    f"share of the mean square that a layer keeps: forward {kept_forward:.2f}, backward {kept_backward:.2f}"
)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
hidden_layers = np.arange(1, len(signal) + 1)
left.semilogy(hidden_layers, signal / signal[0], "o-", color="C0")
left.set(xlabel="layer", ylabel="size, relative to where it starts", title="Output of each layer (forward →)")
right.semilogy(hidden_layers, flow / flow[-1], "s-", color="C1")
right.set(xlabel="layer", title="Gradient at each layer (← backward)")
plt.show()

# %% [markdown]
# Both fade at about the same rate, in opposite directions. With these starting weights each layer keeps
# about half of the mean square that arrives, in the output as well as in the gradient. Over a dozen
# layers that leaves the first ones with little to learn from. Lesson 6.5 finds starting weights that stop
# the fading. Our network with two hidden layers did not need them.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert losses[-1] < 0.5 * losses[0], "the loss falls to less than half"
assert test_error < 0.7 * guess_error, "the error is well below that of the average bird"
assert loss_gap < 1e-9, "PyTorch takes the same steps"
assert caches[1] < weight_bytes < caches[1024], "for a large batch the cache is larger than the weights"
assert counted == sorted(counted) and 1.8 < counted[-1] < 2, "backward costs up to two forward passes"
assert forward_mode["products"] == 9 * n_parameters, "forward mode takes one pass for each parameter"
assert reverse_mode["products"] == 3 + 5, "reverse mode takes one pass for all"
assert 0.4 < kept_forward < 0.6, "forward, a layer keeps about half of the mean square"
assert 0.4 < kept_backward < 0.6, "backward, a layer keeps about half of the mean square"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It shows how to train with a smaller cache, which large models need.
#
# ### Recompute instead of keep
#
# `checkpoint(module, x)` runs the module forward and keeps only its input. On the way back it runs the
# module forward once more, now with a cache, and then backward. We cut the eight wide layers into four
# pieces and count the bytes that autograd saves, with a hook that sees every tensor as it is saved. What
# do you expect for the time?


# %%
def saved_megabytes(run):
    """Megabytes that autograd saves for backward during run(), parameters left out; and run's result."""
    saved = {}

    def note(tensor):
        # a weight may also be saved as its transpose, a view: `_base` is the tensor that a view looks at
        is_view_of_leaf = tensor._base is not None and tensor._base.is_leaf
        if not isinstance(tensor, nn.Parameter) and not is_view_of_leaf:
            saved[tensor.data_ptr()] = tensor.nbytes  # by address: the same memory counts once
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = run()
    return sum(saved.values()) / 1e6, result


pieces = [nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()) for _ in range(4)]
wide_batch = torch.randn(1024, 512, requires_grad=True)


def run_plain():
    """The sum of the output, with everything kept."""
    out = wide_batch
    for piece in pieces:
        out = piece(out)
    return out.sum()


def run_checkpointed():
    """The same, with only the input of each piece kept."""
    out = wide_batch
    for piece in pieces:
        out = checkpoint(piece, out, use_reentrant=False)
    return out.sum()


input_grads = {}
saved_mb = {}
print(f"{'':20s}{'saved (MB)':>12s}{'ms':>12s}")
for run in (run_plain, run_checkpointed):
    start = time.perf_counter()
    saved_mb[run.__name__], total = saved_megabytes(run)
    (input_grads[run.__name__],) = torch.autograd.grad(total, wide_batch)
    print(f"{run.__name__:20s}{saved_mb[run.__name__]:12.1f}{1000 * (time.perf_counter() - start):12.0f}")
torch.testing.assert_close(input_grads["run_plain"], input_grads["run_checkpointed"])

# %% [markdown]
# The gradient is the same, from a much smaller cache. The price is one more forward pass, which is a
# third more work if backward counts as two.

# %%
assert saved_mb["run_checkpointed"] < 0.6 * saved_mb["run_plain"], (
    "checkpointing saves a large part of the cache"
)

# %% [markdown]
# ## What to remember
#
# - The backward pass visits the layers of the forward pass in reverse order, and each layer has one
#   backward partner.
# - A linear layer keeps its input and a ReLU keeps where it was positive. This cache grows with the batch
#   and the depth.
# - One backward pass costs about two forward passes, whatever the number of parameters.
# - Reverse mode suits one output and many inputs, as in training; forward mode suits one input and many
#   outputs.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Give every layer weights that are $\sqrt 2$ times as large: in `Linear`, divide by `np.sqrt(n_in /
#    2)`. Which share of the mean square does a layer keep then? Look at the third figure and the line
#    above it.
# 2. In `run_checkpointed`, make one piece of all four: replace the loop by `out =
#    checkpoint(nn.Sequential(*pieces), out, use_reentrant=False)`. How much is saved then, and why is
#    that not the whole story about memory?
# 3. From a blank cell: write a class `Tanh` with `forward` and `backward`, and check its backward with
#    `measured_gradient` on the sum of `Tanh().forward(z) * weights`. What must it keep, and why not its
#    input?
#
# ## Sources
#
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   _Nature_ 323, 1986.
# - A. Griewank, A. Walther, _Evaluating Derivatives_, 2nd edition, 2008, chapters 3 and 4: forward and
#   reverse mode and their costs. Reproduced: "backward costs up to two forward passes".
# - T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost", 2016:
#   recomputing instead of keeping. Reproduced: "checkpointing saves a large part of the cache".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
