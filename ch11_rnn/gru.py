# %% [markdown]
# # 11.5 GRU: one gate fewer
#
# A full whiteboard has one rule: whoever writes something must wipe something. The LSTM decides about
# writing and wiping apart, and keeps a second board that it shows only in part. The *gated recurrent
# unit* has one board, all of it shown, and one hand that wipes exactly as much as it writes.
#
# **You will build** the GRU's two gates, its forward and backward pass, and check both against `nn.GRU`;
# then let RNN, LSTM and GRU compete with as many parameters each, and forecast sunspots. **You need** the
# LSTM (11.4) and its adding problem. **It takes** about three quarters of a minute.

# %%
import csv
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# The board says $h = 0.8$, and the network would like to write $n = -0.4$. The *update gate* $z$ says how
# much of the old stays: $h \leftarrow z\,h + (1 - z)\,n$. With $z = 0.75$ that is $0.6 - 0.1 = 0.5$. With
# $z = 1$ the board stays as it is, and so does the gradient: $\partial h_t / \partial h_{t-1} = z$ along
# this way. That is the LSTM's belt, with $f = z$ and $i = 1 - z$ tied together.

# %%
h, n = 0.8, -0.4
for z in (0.0, 0.75, 1.0):
    print(f"z = {z:.2f}: the new state is {z * h + (1 - z) * n:5.2f}")
np.testing.assert_allclose(0.75 * h + 0.25 * n, 0.5)

# %% [markdown]
# ## The cell, and two ways to reset
#
# The second gate, the *reset gate* $r$, says how much of the old state the new text may look at:
#
# $$r, z = \sigma(W x_t + b + U h_{t-1} + b'), \qquad
#   n = \tanh\big(W x_t + b + r \odot (U h_{t-1} + b')\big),$$
# $$h_t = z \odot h_{t-1} + (1 - z) \odot n ,$$
#
# with weights of its own for each of the three, as in 11.4. In the paper of 2014 the reset comes *before*
# the product, $U (r \odot h_{t-1})$. PyTorch and the formula above multiply *after* it: then all three
# products with $h_{t-1}$ can be taken at once. It needs a second bias $b'$ inside the bracket.


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)) as half a tanh, which cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh, reset_after=True):
    """One step of a GRU, gate by gate; Cho et al. 2014, with PyTorch's reset gate or the paper's.

    x: (B, D), h: (B, H), weight_ih: (3H, D), weight_hh: (3H, H), biases: (3H,), in the order reset gate,
    update gate, candidate, as PyTorch has it. Returns the new h, (B, H).
    """
    w_r, w_z, w_n = np.split(weight_ih, 3)  # (H, D) each
    u_r, u_z, u_n = np.split(weight_hh, 3)  # (H, H) each
    (b_r, b_z, b_n), (c_r, c_z, c_n) = np.split(bias_ih, 3), np.split(bias_hh, 3)
    r = sigmoid(x @ w_r.T + b_r + h @ u_r.T + c_r)  # (B, D) @ (D, H) + (B, H) @ (H, H) -> (B, H)
    z = sigmoid(x @ w_z.T + b_z + h @ u_z.T + c_z)
    past = r * (h @ u_n.T + c_n) if reset_after else (r * h) @ u_n.T + c_n  # (B, H) @ (H, H) -> (B, H)
    n = np.tanh(x @ w_n.T + b_n + past)  # (B, D) @ (D, H) -> (B, H)
    return z * h + (1 - z) * n


def gru_loops(x, h, *parameters, reset_after=True):
    """Every h of a sequence x: (T, B, D), time first, as (T, B, H)."""
    hiddens = []
    for step in x:
        h = gru_step(step, h, *parameters, reset_after=reset_after)
        hiddens.append(h)
    return np.stack(hiddens)


# %% [markdown]
# Same weights, both resets: two different networks. Weights trained for one do not fit the other.


# %%
def initial_parameters(n_in, n_hidden, rng):
    """weight_ih (3H, D), weight_hh (3H, H) and two biases (3H,), uniform within 1 / sqrt(H)."""
    shapes = (3 * n_hidden, n_in), (3 * n_hidden, n_hidden), (3 * n_hidden,), (3 * n_hidden,)
    return [rng.uniform(-1, 1, shape) / np.sqrt(n_hidden) for shape in shapes]


n_steps, batch_size, n_in, n_hidden = 7, 3, 5, 4
x = rng.normal(size=(n_steps, batch_size, n_in))  # (T, B, D)
h = rng.normal(size=(batch_size, n_hidden))  # (B, H)
parameters = initial_parameters(n_in, n_hidden, rng)
slow_hiddens = gru_loops(x, h, *parameters)
difference = np.abs(slow_hiddens - gru_loops(x, h, *parameters, reset_after=False)).max()
print(f"reset after or before the product: up to {difference:.2f} apart")
assert difference > 0.01

# %% [markdown]
# ## The same, faster
#
# As in lesson 11.4: the inputs' products before the loop, one product of width $3H$ a step. Both gates
# share one tanh, because a sigmoid is half a tanh; the candidate must wait for the reset gate. The gates'
# two biases join before the loop, the candidate's second one must stay inside its bracket. And
# $z h + (1 - z) n = n + z (h - n)$ saves a product.


# %%
def gru_forward(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """All steps of a GRU, one product a step; shapes and order as in `gru_step`, x: (T, B, D), time first.

    Returns the hidden states (T, B, H), the last of them (B, H), and what `gru_backward` needs.
    Raises ValueError where a shape does not fit.
    """
    (n_steps, batch_size, n_in), n_hidden = x.shape, h.shape[-1]
    width = 3 * n_hidden
    expected = (batch_size, n_hidden), (width, n_in), (width, n_hidden), (width,), (width,)
    shapes = h.shape, weight_ih.shape, weight_hh.shape, bias_ih.shape, bias_hh.shape
    if shapes != expected:
        raise ValueError(f"h, weights and biases have shapes {shapes}, expected {expected}")
    half = np.repeat(np.array([0.5, 0.5, 1], x.dtype), n_hidden)  # (3H,)
    recurrent = np.ascontiguousarray((half[:, None] * weight_hh).T)  # (3H, H) -> (H, 3H)
    two, bias = 2 * n_hidden, half * bias_ih
    bias[:two] += half[:two] * bias_hh[:two]
    # (T * B, D) @ (D, 3H) -> (T * B, 3H) -> (T, B, 3H)
    gates = x.reshape(-1, n_in) @ (half[:, None] * weight_ih).T
    gates += bias
    gates = gates.reshape(n_steps, batch_size, 3 * n_hidden)
    hiddens = np.empty((n_steps + 1, *h.shape), x.dtype)  # (T + 1, B, H)
    hiddens[0] = h
    past = np.empty((n_steps, *h.shape), x.dtype)  # (T, B, H): U h + b' of the candidate, before the reset
    product = np.empty_like(gates[0])  # (B, 3H)
    for t in range(n_steps):
        np.matmul(hiddens[t], recurrent, out=product)  # (B, H) @ (H, 3H) -> (B, 3H)
        np.add(product[:, two:], bias_hh[two:], out=past[t])
        doors, n = gates[t, :, :two], gates[t, :, two:]  # (B, 2H) and (B, H), views
        doors += product[:, :two]
        np.tanh(doors, out=doors)
        doors *= 0.5
        doors += 0.5
        n += doors[:, :n_hidden] * past[t]
        np.tanh(n, out=n)
        np.subtract(hiddens[t], n, out=hiddens[t + 1])
        hiddens[t + 1] *= doors[:, n_hidden:]
        hiddens[t + 1] += n
    return hiddens[1:], hiddens[-1], (x, hiddens, gates, past, weight_ih, weight_hh)


# %%
hiddens, last_h, cache = gru_forward(x, h, *parameters)
largest = np.abs(hiddens - slow_hiddens).max()
print(f"largest difference {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## Backward
#
# With $\bar h$ for the gradient that arrives at $h_t$, the update splits it three ways: to the candidate,
# to the update gate and, as $z \odot \bar h$, straight to $h_{t-1}$. The candidate hands its share on to
# the reset gate and to the past it let through, $U h_{t-1} + b'$. The other bars already contain the
# slopes of tanh and sigmoid:
#
# $$\bar n = \bar h \odot (1 - z) \odot (1 - n^2), \qquad
#   \bar z = \bar h \odot (h_{t-1} - n) \odot z (1 - z), \qquad
#   \bar r = \bar n \odot \text{past} \odot r (1 - r).$$
#
# One asymmetry: the candidate's input gets $\bar n$, but its recurrent product gets $r \odot \bar n$. So
# we keep two arrays, and the two biases have different gradients.


# %%
def gru_backward(d_hiddens, d_h, cache):
    """Gradients of x, h, weight_ih, weight_hh, bias_ih and bias_hh, in that order, each in its shape.

    d_hiddens: (T, B, H), the loss's gradient at every hidden state; d_h: (B, H), at the final state on top
    of that; cache: from `gru_forward`.
    """
    x, hiddens, gates, past, weight_ih, weight_hh = cache
    n_hidden = d_h.shape[1]
    d_input, d_recurrent = np.empty_like(gates), np.empty_like(gates)  # (T, B, 3H)
    for t in reversed(range(len(x))):
        r, z, n = np.split(gates[t], 3, axis=1)  # (B, H) each
        d_r, d_z, d_n = np.split(d_input[t], 3, axis=1)  # views into d_input
        d_h = d_h + d_hiddens[t]
        np.multiply(d_h * (1 - z), 1 - n * n, out=d_n)
        np.multiply(d_h * (hiddens[t] - n), z * (1 - z), out=d_z)
        np.multiply(d_n * past[t], r * (1 - r), out=d_r)
        d_recurrent[t] = d_input[t]
        d_recurrent[t, :, 2 * n_hidden :] *= r
        d_h = d_h * z + d_recurrent[t] @ weight_hh  # (B, 3H) @ (3H, H) -> (B, H)
    # (T, B, 3H) -> (T * B, 3H) each
    flat, flat_recurrent = d_input.reshape(-1, 3 * n_hidden), d_recurrent.reshape(-1, 3 * n_hidden)
    d_x = (flat @ weight_ih).reshape(x.shape)  # (T * B, 3H) @ (3H, D) -> (T, B, D)
    d_weight_ih = flat.T @ x.reshape(-1, x.shape[-1])  # (3H, T * B) @ (T * B, D) -> (3H, D)
    d_weight_hh = flat_recurrent.T @ hiddens[:-1].reshape(-1, n_hidden)  # (3H, T * B) @ (T * B, H) -> (3H, H)
    return d_x, d_h, d_weight_ih, d_weight_hh, flat.sum(axis=0), flat_recurrent.sum(axis=0)


# %% [markdown]
# Central differences examine every number, under a random mixture of the outputs.

# %%
cotangents = rng.normal(size=hiddens.shape), rng.normal(size=h.shape)


def mixture(*arguments):
    """A random weighted sum of all hidden states and the last h."""
    hiddens, last_h, _ = gru_forward(*arguments)
    return (hiddens * cotangents[0]).sum() + (last_h * cotangents[1]).sum()


gradients = gru_backward(*cotangents, cache)
largest = 0.0
for argument, gradient in zip((x, h, *parameters), gradients, strict=True):
    for index in np.ndindex(argument.shape):
        kept, sides = argument[index], []
        for nudged in (kept + 1e-5, kept - 1e-5):
            argument[index] = nudged
            sides.append(mixture(x, h, *parameters))
        argument[index] = kept
        largest = max(largest, abs((sides[0] - sides[1]) / 2e-5 - gradient[index]))
print(f"{sum(gradient.size for gradient in gradients)} gradients, largest difference {largest:.1e}")
assert largest < 1e-8

# %% [markdown]
# ## The same in PyTorch
#
# We copy all four arrays into `nn.GRU` and compare outputs, the final state and every gradient.

# %%
model = nn.GRU(n_in, n_hidden, dtype=torch.float64)
with torch.no_grad():
    for theirs, ours in zip(model.parameters(), parameters, strict=True):
        theirs.copy_(torch.from_numpy(ours))
torch_x, torch_h = torch.tensor(x, requires_grad=True), torch.tensor(h, requires_grad=True)
torch_hiddens, torch_last_h = model(torch_x, torch_h[None])  # (T, B, H), (1, B, H)
torch_outputs = torch_hiddens, torch_last_h[0]
total = sum(
    (output * torch.from_numpy(cotangent)).sum() for output, cotangent in zip(torch_outputs, cotangents)
)
torch_gradients = torch.autograd.grad(total, [torch_x, torch_h, *model.parameters()])
largest = 0.0
for ours, theirs in zip((hiddens, last_h, *gradients), (*torch_outputs, *torch_gradients), strict=True):
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(ours - theirs).max())
print(f"largest difference {largest:.1e}")

# %% [markdown]
# ## Layers on layers, and both ways
#
# *Stacked* layers read each other's hidden states. A *bidirectional* layer is two: one reads from the
# front, one from the back, and their states stand side by side. It suits sentences that are already
# complete, never forecasts. Both are loops around what we have.

# %%
model = nn.GRU(n_in, n_hidden, num_layers=2, bidirectional=True, dtype=torch.float64)
weights = [weight.detach().numpy() for weight in model.parameters()]
layer_input, start = x, np.zeros((batch_size, n_hidden))
for layer in range(2):
    both = weights[8 * layer : 8 * layer + 8]  # four arrays for each direction
    ahead, _, _ = gru_forward(layer_input, start, *both[:4])
    back, _, _ = gru_forward(layer_input[::-1], start, *both[4:])
    layer_input = np.concatenate([ahead, back[::-1]], axis=2)  # (T, B, 2H)
with torch.no_grad():
    expected = model(torch.from_numpy(x))[0].numpy()
largest = np.abs(layer_input - expected).max()
print(f"two layers, both ways: {layer_input.shape}, largest difference {largest:.1e}")
np.testing.assert_allclose(layer_input, expected, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Equal budgets
#
# Three blocks of weights where the LSTM has four: a GRU of the same width has three quarters of the
# parameters. A fair race gives each the same number of parameters instead, so the GRU may be wider, and
# the vanilla network wider still.


# %%
def count(model):
    """The number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


for width in (32, 128):
    ratio = count(nn.GRU(2, width)) / count(nn.LSTM(2, width))
    print(f"width {width}: GRU / LSTM = {ratio}")
    assert ratio == 3 / 4


def adding_problem(n_steps, batch_size, generator):
    """Sequences (T, B, 2) of numbers in [0, 1) and marks, one mark in each half, and the sums (B,)."""
    numbers = torch.rand(n_steps, batch_size, generator=generator)
    marks = torch.zeros(n_steps, batch_size)
    for start, stop in ((0, n_steps // 2), (n_steps // 2, n_steps)):
        marks[torch.randint(start, stop, (batch_size,), generator=generator), torch.arange(batch_size)] = 1
    return torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(dim=0)


class Reader(nn.Module):
    """A recurrent layer and one number read off its last hidden state: (T, B, D) -> (B,)."""

    def __init__(self, layer, n_in, n_hidden):
        super().__init__()
        self.layer = layer(n_in, n_hidden)
        self.readout = nn.Linear(n_hidden, 1)

    def forward(self, x):
        hiddens, _ = self.layer(x)  # (T, B, H)
        return self.readout(hiddens[-1]).squeeze(1)  # (B, H) -> (B, 1) -> (B,)


# %% [markdown]
# The race is the adding problem of lesson 11.4. A run ends when the mean error of the last fifty batches
# is small, or at its limit.


# %%
def race(layer, n_hidden, limit, seed, good_enough=0.01):
    """Steps taken, seconds a step, and the mean squared error of the last 50 batches."""
    torch.manual_seed(seed)
    model, generator = Reader(layer, 2, n_hidden), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses, started = [], time.perf_counter()
    while len(losses) < limit and not (len(losses) >= 50 and np.mean(losses[-50:]) < good_enough):
        x, y = adding_problem(60, 50, generator)
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return len(losses), (time.perf_counter() - started) / len(losses), np.mean(losses[-50:])


# %% [markdown]
# Each runs from several seeds; the table gives the mean and, in brackets, the range from lowest to
# highest. The vanilla network's limit is lower: lesson 11.4 waited longer, for a narrower one, in vain.

# %%
# layer, width, limit of steps
entrants = {"RNN": (nn.RNN, 66, 300), "LSTM": (nn.LSTM, 32, 1000), "GRU": (nn.GRU, 37, 1000)}
results = {  # (3, 3) each: seeds, and what `race` measures
    name: np.array([race(*entrant, seed) for seed in (0, 1, 2)]) for name, entrant in entrants.items()
}
print(f"{'':8s}{'width':>8s}{'parameters':>12s}{'steps':>20s}{'ms a step':>20s}{'error':>24s}")
for name, (layer, width, _) in entrants.items():
    means, lows, highs = (f(results[name], axis=0) for f in (np.mean, np.min, np.max))  # (3,) each
    steps = f"{means[0]:.0f} ({lows[0]:.0f} to {highs[0]:.0f})"
    speed = f"{1e3 * means[1]:.1f} ({1e3 * lows[1]:.1f} to {1e3 * highs[1]:.1f})"
    error = f"{means[2]:.3f} ({lows[2]:.3f} to {highs[2]:.3f})"
    print(f"{name:8s}{width:8d}{count(layer(2, width)):12d}{steps:>20s}{speed:>20s}{error:>24s}")

# %% [markdown]
# The vanilla network gets no further than always answering 1. The gated ones learn to add, the GRU in
# fewer steps. But fewer steps are not fewer seconds: on most CPUs PyTorch runs an LSTM as one *fused*
# kernel (4.5), which does all its operations in one call, and a GRU as many small ones. Multiply the
# columns.

# %%
assert (results["RNN"][:, 2] > 0.1).all()
assert (results["GRU"][:, 2] < 0.02).all() and (results["GRU"][:, 0] < 600).all()
assert (results["LSTM"][:, 2] < 0.05).all()
assert results["GRU"][:, 0].max() < results["LSTM"][:, 0].min()
parameter_counts = [count(layer(2, width)) for layer, width, _ in entrants.values()]
assert max(parameter_counts) < 1.02 * min(parameter_counts)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for name, marker in zip(results, ("o", "^", "s")):
    steps, speed, error = results[name].T  # (3,) each
    left.plot(steps, error, marker, color="0.2", markerfacecolor="none")
    right.plot(steps * speed, error, marker, color="0.2", markerfacecolor="none", label=name)
for ax in (left, right):
    ax.axhline(1 / 6, color="0.7", linewidth=0.8, zorder=0, label="always answering 1")
    ax.set(xlim=0, yscale="log")
left.set(xlabel="steps of training", ylabel="squared error at the end")
left.set_title("The GRU learns in fewer steps than the LSTM")
right.set(xlabel="seconds of training", title="In seconds the order may differ")
right.legend(loc="center right")
plt.show()

# %% [markdown]
# ## Sunspots, as it comes out
#
# Not every sequence needs a gate. The number of spots on the sun rises and falls in about eleven years.
# Two cheap forecasts of next year: *persistence*, as this year (4.6); and *AR(2)*, a weighted sum of the
# last two years and a constant, by least squares: the window of two in 11.1. (AR is for *autoregressive*,
# explained by its own past.) A small GRU reads twenty years. All learn on the years up to 1920 and are
# judged on those after.

# %%
with open(HERE / "data" / "sunspots.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
years = np.array([int(float(row["YEAR"])) for row in rows])
spots = np.array([float(row["SUNACTIVITY"]) for row in rows]) / 100  # in hundreds
span = 20
windows = np.lib.stride_tricks.sliding_window_view(spots[:-1], span)  # (n, 20)
targets, target_years = spots[span:], years[span:]
training = target_years <= 1920

design = np.column_stack([windows[:, -1], windows[:, -2], np.ones(len(windows))])  # (n, 3)
coefficients = np.linalg.lstsq(design[training], targets[training])[0]
forecasts = {"persistence": windows[:, -1], "AR(2)": design @ coefficients}  # (n, 3) @ (3,) -> (n,)

# %% [markdown]
# The GRU reads the same windows year by year, and forecasts from its last state. Several seeds, because
# one tells little about so small a set.

# %%
x = torch.tensor(windows.T[..., None], dtype=torch.float32)  # (20, n, 1)
y = torch.tensor(targets, dtype=torch.float32)
train_rows = torch.from_numpy(training)
for seed in (0, 1, 2):
    torch.manual_seed(seed)
    model = Reader(nn.GRU, 1, 16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        loss = F.mse_loss(model(x[:, train_rows]), y[train_rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        forecasts[f"GRU, seed {seed}"] = model(x).double().numpy()

# %%
test_errors = {}
print(f"{'error (spots)':20s}{'to 1920':>12s}{'after':>12s}")
for name, forecast in forecasts.items():
    squares = (100 * (forecast - targets)) ** 2
    test_errors[name] = np.sqrt(squares[~training].mean())
    print(f"{name:20s}{np.sqrt(squares[training].mean()):12.1f}{test_errors[name]:12.1f}")
rivals = [error for name, error in test_errors.items() if name != "persistence"]
assert max(rivals) < test_errors["persistence"]
assert test_errors["AR(2)"] < (test_errors["persistence"] + min(rivals)) / 2

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
shown = ~training
ax.plot(target_years[shown], 100 * targets[shown], "o", color="C0", markersize=4, label="observed")
for name, style, color in (("AR(2)", ":", "0.4"), ("GRU, seed 0", "-", "C1")):
    ax.plot(target_years[shown], 100 * forecasts[name][shown], style, color=color, label=name)
ax.set(xlabel="year", ylabel="sunspots", title="Both forecasts follow cycles they were not trained on")
ax.legend(ncol=3, loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# Two numbers of memory and three coefficients already give more than half of what the network gains on
# persistence. Try the cheap forecast first, and quote it beside the network's.
#
# ## When to choose which
#
# Chung et al. compared them on music and speech in 2014: on speech both gated units clearly beat the
# vanilla one, on music all three lay close together, and neither gated unit beat the other everywhere. Our
# numbers say no more. A GRU has fewer parameters and no second state to carry; an LSTM can count, since
# its cell state is not confined to $\pm 1$. Try both; the gap is often smaller than that between two
# seeds.
#
# ## What to remember
#
# - $h_t = z \odot h_{t-1} + (1 - z) \odot n$: one gate keeps and writes, and the state itself is the
#   belt.
# - The reset gate stands after the product in PyTorch, before it in the paper: other weights.
# - Three quarters of an LSTM's parameters at equal width.
# - Compare at equal budgets, over seeds, and beside a cheap baseline.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Set the update gate's bias, the second third of `bias_ih_l0`, to 3 before the race. Does the GRU need
#    more steps or fewer?
# 2. Give the LSTM a forget bias of 3 in the race (lesson 11.4). Who wins now?
# 3. Forecast the sunspots with AR(9) instead of AR(2).
#
# ## Sources
#
# - K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
#   translation", EMNLP 2014, section 2.3.
# - J. Chung, C. Gulcehre, K. Cho, Y. Bengio, "Empirical evaluation of gated recurrent neural networks on
#   sequence modeling", 2014.
# - G. U. Yule, "On a method of investigating periodicities in disturbed series", 1927: AR(2), invented
#   for sunspots.
