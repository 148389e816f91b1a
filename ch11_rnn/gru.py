# %% [markdown]
# # 11.5 GRU: one gate that keeps and writes
#
# The LSTM (11.4) has three gates and two states, and one may ask whether all of them are needed. If a new
# number is written into a memory, the old one should usually go, and then one gate can do both: it keeps a
# share of the old and takes the rest from the new. This is the *gated recurrent unit*, GRU, which was
# invented for translation and is used where an LSTM would be, with a quarter fewer weights at the same
# width.
#
# Is it worse with fewer parts? To see that, we compare it with the LSTM and the plain RNN on the adding
# problem of 11.4, and give all three the same number of parameters.
#
# **You will build** the GRU's two gates, its forward and backward pass, and a fair comparison. **You need**
# the LSTM with its adding problem (11.4), backpropagation through time (11.2), and, for the sunspots under
# _Going further_, persistence as a baseline (4.6). **It takes** about half a minute.

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
# The state is $h = 0.8$, and the network would like to write $n = -0.4$. A number $z$ between 0 and 1 says
# how much of the old state stays, and the rest comes from the new:
#
# $$\begin{aligned}
#   h_t &= z\, h_{t-1} + (1 - z)\, n \\
#   z = 1: \quad h_t &= 1 \cdot 0.8 + 0 \cdot (-0.4) = 0.8 \\
#   z = \tfrac34: \quad h_t &= \tfrac34 \cdot 0.8 + \tfrac14 \cdot (-0.4) = 0.6 - 0.1 = 0.5 \\
#   z = 0: \quad h_t &= 0 \cdot 0.8 + 1 \cdot (-0.4) = -0.4
# \end{aligned}$$
#
# Along this path $\partial h_t / \partial h_{t-1} = z$, so $z$ plays the part of the LSTM's forget gate,
# and $1 - z$ that of its input gate, but here the two are tied together. Besides, the state is a weighted
# mean of numbers between $-1$ and $1$, so it stays between them, while the LSTM's cell state can grow.

# %%
paper_states = [z * 0.8 + (1 - z) * -0.4 for z in (1, 0.75, 0)]
print("new states", paper_states)
np.testing.assert_allclose(paper_states, [0.8, 0.5, -0.4])

# %% [markdown]
# ## The cell, one gate at a time
#
# The *update gate* $z$ is a layer with a sigmoid that reads the input $x_t$ and the old state $h_{t-1}$,
# like the gates of the LSTM, and the candidate $n$ is a layer with tanh. Before the candidate stands one
# more gate, the *reset gate* $r$, which says how much of the old state the candidate may use. At $r = 0$
# it sees the input only, so a new beginning is possible. Here is the cell first without it and then with
# it.


# %%
def draw_cell(ax, with_reset):
    """The GRU's state on its way from one step to the next, and the layers below it."""
    round_box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": "0.3"}
    square_box = {"boxstyle": "round", "facecolor": "C1", "edgecolor": "0.3"}
    ax.plot([0, 10], [5, 5], color="C0", linewidth=4, zorder=0)
    ax.plot([0, 7.5], [0.4, 0.4], color="0.4", linewidth=1, zorder=0)
    ax.plot([2, 2], [0.4, 5], color="0.4", linewidth=1, zorder=0)
    ax.plot([2, 7.5], [3.2, 3.2], color="0.4", linewidth=1, zorder=0)
    ax.plot([7.5, 7.5], [0.4, 5], color="0.4", linewidth=1, zorder=0)
    ax.text(2, 1.7, "σ\nupdate", ha="center", va="center", bbox=square_box)
    ax.text(7.5, 1.9, "tanh\ncandidate", ha="center", va="center", bbox=square_box)
    ax.text(2.2, 4.1, "z", va="center")
    ax.text(4.7, 3.4, "1 - z", ha="center")
    for x, y, sign in ((2, 5, "×"), (7.5, 5, "+"), (7.5, 3.2, "×")):
        ax.text(x, y, sign, ha="center", va="center", bbox=round_box)
    if with_reset:
        ax.plot([4.8, 4.8, 6.3, 6.3], [0.4, 1.7, 1.7, 0.4], color="0.4", linewidth=1, zorder=0)
        ax.plot([6.3, 7.5], [0.9, 0.9], color="0.4", linewidth=1, zorder=0)
        ax.text(6.3, 0.2, "$h_{t-1}$", ha="center", va="top")
        ax.text(7.6, 0.3, "$x_t$", va="top")
        ax.text(4.8, 1.7, "σ\nreset", ha="center", va="center", bbox=square_box)
        ax.text(6.3, 0.9, "×", ha="center", va="center", bbox=round_box)
    ax.text(-0.1, 5, "$h_{t-1}$", ha="right", va="center")
    ax.text(10.1, 5, "$h_t$", va="center")
    ax.text(-0.1, 0.4, "$x_t, h_{t-1}$", ha="right", va="center")
    ax.set(xlim=(-2.2, 11), ylim=(-0.4, 5.8))
    ax.axis("off")


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw_cell(left, with_reset=False)
draw_cell(right, with_reset=True)
left.set_title("update gate")
right.set_title("update gate and reset gate")
plt.show()

# %% [markdown]
# As in the LSTM, only a product and a sum stand on the line of the state. But there is only this one line,
# so the rest of the network sees the memory itself, with no output gate between.
#
# We build the cell for two sequences with three inputs and four units. The weights have PyTorch's names,
# and each is a stack of three blocks of $H$ rows: reset gate, update gate, candidate.


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)) in a form that cannot overflow: half of tanh(z / 2), plus one half."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def initial_parameters(n_in, n_hidden, rng, n_blocks=3):
    """W_ih (3H, C), W_hh (3H, H), b_ih and b_hh (3H,) by name, uniform within 1 / sqrt(H), as in PyTorch."""
    width = n_blocks * n_hidden
    shapes = {"W_ih": (width, n_in), "W_hh": (width, n_hidden), "b_ih": (width,), "b_hh": (width,)}
    bound = 1 / np.sqrt(n_hidden)
    return {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}


small_p = initial_parameters(n_in=3, n_hidden=4, rng=rng)
W_r, W_z, W_n = np.split(small_p["W_ih"], 3)  # (H, C) each
U_r, U_z, U_n = np.split(small_p["W_hh"], 3)  # (H, H) each
b_r, b_z, b_n = np.split(small_p["b_ih"], 3)  # (H,) each
d_r, d_z, d_n = np.split(small_p["b_hh"], 3)  # (H,) each
one_x = rng.normal(size=(2, 3))  # (B, C)
old_h = rng.normal(size=(2, 4))  # (B, H)

# %% [markdown]
# Both gates have the same form, with weights of their own:
#
# $$r_t = \sigma(W_r\, x_t + b_r + U_r\, h_{t-1} + d_r), \qquad
#   z_t = \sigma(W_z\, x_t + b_z + U_z\, h_{t-1} + d_z) .$$

# %%
r = sigmoid(one_x @ W_r.T + b_r + old_h @ U_r.T + d_r)  # (B, C) @ (C, H) + (B, H) @ (H, H) -> (B, H)
z = sigmoid(one_x @ W_z.T + b_z + old_h @ U_z.T + d_z)
print("update gate of the first sequence", z[0].round(2))

# %% [markdown]
# The candidate uses what the reset gate lets through, and then the paper section's formula mixes old and
# new:
#
# $$n_t = \tanh\big(W_n\, x_t + b_n + r_t \odot (U_n\, h_{t-1} + d_n)\big), \qquad
#   h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t .$$

# %%
n = np.tanh(one_x @ W_n.T + b_n + r * (old_h @ U_n.T + d_n))  # (B, C) @ (C, H) + (B, H) @ (H, H) -> (B, H)
new_h = z * old_h + (1 - z) * n
print("state before", old_h[0].round(2), "and after", new_h[0].round(2))

# %% [markdown]
# ## Forward and backward through time
#
# For a sequence the step is repeated, and as in lesson 11.4 one product with the stacked weights serves
# all three blocks. But input and state must be kept apart, because the reset gate multiplies the state's
# part of the candidate only. That is also why the two biases cannot be one.


# %%
def check_shapes(x, p, state, n_blocks=3):
    """Raise ValueError unless x (B, T, C), the parameters and the first state (B, H) fit together."""
    if x.ndim != 3 or x.shape[1] == 0:
        raise ValueError(f"x must be (B, T, C) with at least one step, not {x.shape}")
    n_hidden = p["W_hh"].shape[-1]
    width = n_blocks * n_hidden
    expected = {"W_ih": (width, x.shape[2]), "W_hh": (width, n_hidden), "b_ih": (width,), "b_hh": (width,)}
    found = {name: array.shape for name, array in p.items()}
    if found != expected:
        raise ValueError(f"for x {x.shape} the parameters must have the shapes {expected}, not {found}")
    if state is not None and state.shape != (len(x), n_hidden):
        raise ValueError(f"the first state must have the shape {(len(x), n_hidden)}, not {state.shape}")


def gru_forward(x, p, h0=None):
    """A GRU over sequences x (B, T, C); Cho et al. 2014, with the reset gate after the product.

    p: W_ih (3H, C), W_hh (3H, H), b_ih, b_hh (3H,); blocks: reset, update, candidate, as in PyTorch. h0: the
    first state (B, H), zeros by default. Returns the outputs (B, T, H), the last state, and what
    `gru_backward` needs. Raises ValueError for shapes that do not fit.
    """
    check_shapes(x, p, h0)
    h = np.zeros((len(x), p["W_hh"].shape[1]), p["W_hh"].dtype) if h0 is None else h0
    outputs = []
    steps = []
    for t in range(x.shape[1]):
        from_input = x[:, t] @ p["W_ih"].T + p["b_ih"]  # (B, C) @ (C, 3H) -> (B, 3H)
        from_state = h @ p["W_hh"].T + p["b_hh"]  # (B, H) @ (H, 3H) -> (B, 3H)
        x_r, x_z, x_n = np.split(from_input, 3, axis=1)  # (B, H) each
        h_r, h_z, h_n = np.split(from_state, 3, axis=1)
        r = sigmoid(x_r + h_r)
        z = sigmoid(x_z + h_z)
        n = np.tanh(x_n + r * h_n)
        steps.append((h, r, z, n, h_n))
        h = z * h + (1 - z) * n
        outputs.append(h)
    return np.stack(outputs, axis=1), h, (x, p, steps)  # T of (B, H) -> (B, T, H)


outputs, last_h, _ = gru_forward(one_x[:, None], small_p, old_h)  # (B, C) -> (B, 1, C)
np.testing.assert_allclose(last_h, new_h, rtol=1e-12)
print("one step of the loop gives what the cells above gave")

# %% [markdown]
# On the way back, the gradient that arrives at $h_t$ goes three ways, to the candidate, to the update gate
# and straight to $h_{t-1}$:
#
# $$\frac{\partial L}{\partial n} = \frac{\partial L}{\partial h_t} \odot (1 - z), \qquad
#   \frac{\partial L}{\partial z} = \frac{\partial L}{\partial h_t} \odot (h_{t-1} - n), \qquad
#   \frac{\partial L}{\partial h_{t-1}} = \frac{\partial L}{\partial h_t} \odot z + \dots$$
#
# Inside the candidate, write $s = U_n\, h_{t-1} + d_n$ for the state's part and $a$ for the whole argument
# of tanh. The product $r \odot s$ hands the gradient of $a$ to both of its factors:
#
# $$\frac{\partial L}{\partial a} = \frac{\partial L}{\partial n} \odot (1 - n^2), \qquad
#   \frac{\partial L}{\partial r} = \frac{\partial L}{\partial a} \odot s, \qquad
#   \frac{\partial L}{\partial s} = \frac{\partial L}{\partial a} \odot r .$$


# %%
def gru_backward(grad_outputs, cache):
    """Gradients from those of the outputs (B, T, H); cache: from `gru_forward`.

    Returns the gradient of x (B, T, C), those of the parameters by name, and that of the first state (B, H).
    Raises ValueError if grad_outputs has another shape than the outputs.
    """
    x, p, steps = cache
    expected = (len(x), len(steps), p["W_hh"].shape[1])
    if grad_outputs.shape != expected:
        raise ValueError(f"grad_outputs must have the shape {expected}, not {grad_outputs.shape}")
    dtype = steps[0][1].dtype
    grads = {name: np.zeros(array.shape, dtype) for name, array in p.items()}
    grad_x = np.zeros(x.shape, dtype)
    grad_h = np.zeros_like(steps[0][1])  # (B, H)
    for t in reversed(range(len(steps))):
        old_h, r, z, n, h_n = steps[t]
        grad_h = grad_h + grad_outputs[:, t]
        at_n = grad_h * (1 - z) * (1 - n * n)  # before tanh
        at_z = grad_h * (old_h - n) * z * (1 - z)  # before the sigmoid
        at_r = at_n * h_n * r * (1 - r)
        to_input = np.concatenate([at_r, at_z, at_n], axis=1)  # (B, 3H)
        to_state = np.concatenate([at_r, at_z, at_n * r], axis=1)
        grads["W_ih"] += to_input.T @ x[:, t]  # (3H, B) @ (B, C) -> (3H, C)
        grads["W_hh"] += to_state.T @ old_h  # (3H, B) @ (B, H) -> (3H, H)
        grads["b_ih"] += to_input.sum(axis=0)
        grads["b_hh"] += to_state.sum(axis=0)
        grad_x[:, t] = to_input @ p["W_ih"]  # (B, 3H) @ (3H, C) -> (B, C)
        grad_h = grad_h * z + to_state @ p["W_hh"]  # (B, 3H) @ (3H, H) -> (B, H)
    return grad_x, grads, grad_h


# %% [markdown]
# ## The same in PyTorch
#
# `nn.GRU` has the same four parameters, so we can copy them and compare the outputs and all gradients of a
# sum of the outputs with random weights.


# %%
def copied(layer_class, p, dtype=torch.float64):
    """nn.GRU, batch first, with the parameters p."""
    layer = layer_class(p["W_ih"].shape[1], p["W_hh"].shape[1], batch_first=True, dtype=dtype)
    with torch.no_grad():
        for theirs, ours in zip(layer.parameters(), p.values(), strict=True):  # the same order of names
            theirs.copy_(torch.from_numpy(ours))
    return layer


x = rng.normal(size=(3, 7, 5))  # (B, T, C)
h0 = rng.normal(size=(3, 4))  # (B, H)
p = initial_parameters(5, 4, rng)
weights = rng.normal(size=(3, 7, 4))  # (B, T, H): of the outputs in the loss
outputs, last_h, cache = gru_forward(x, p, h0)
grad_x, grads, grad_h0 = gru_backward(weights, cache)

layer = copied(nn.GRU, p)
torch_x = torch.tensor(x, requires_grad=True)
torch_h0 = torch.tensor(h0, requires_grad=True)
torch_outputs, torch_last = layer(torch_x, torch_h0[None])  # (B, T, H), (1, B, H)
loss = (torch_outputs * torch.from_numpy(weights)).sum()
torch_grads = torch.autograd.grad(loss, [torch_x, torch_h0, *layer.parameters()])
ours = (outputs, last_h, grad_x, grad_h0, *grads.values())
theirs = (torch_outputs, torch_last[0], *torch_grads)
largest = 0.0
for array, tensor in zip(ours, theirs, strict=True):
    expected = tensor.detach().numpy()
    np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(array - expected).max())
print(f"outputs and gradients: largest difference {largest:.1e}")

# %% [markdown]
# All differences are rounding.
#
# ## A race with equal numbers of parameters
#
# Which of the three learns the adding problem in the fewest steps? At the same width a GRU would have fewer
# parameters than an LSTM, three blocks of weights instead of four, and so a reason to be worse. So we
# choose the widths such that all three have about the same number of parameters. The task, the learning
# rate (0.01, not tuned for any of them) and the clipping are those of 11.4, and the LSTM starts with the
# forget bias 1. A run ends when the mean error of fifty batches is below 0.01, or at its limit. The plain
# RNN gets half as many steps as the others, since in lesson 11.4 it learned nothing in 800.


# %%
def adding_problem(n_steps, batch_size, generator):
    """Sequences (B, T, 2) of numbers in [0, 1) and marks, one mark in each half, and the sums (B,).

    Raises ValueError for fewer than two steps.
    """
    if n_steps < 2:
        raise ValueError(f"two marks need two steps, got n_steps = {n_steps}")
    numbers = torch.rand(batch_size, n_steps, generator=generator)
    marks = torch.zeros(batch_size, n_steps)
    rows = torch.arange(batch_size)
    for start, stop in ((0, n_steps // 2), (n_steps // 2, n_steps)):
        marks[rows, torch.randint(start, stop, (batch_size,), generator=generator)] = 1
    return torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(dim=1)


class Reader(nn.Module):
    """A recurrent layer and one number read off its last output: (B, T, C) -> (B,)."""

    def __init__(self, layer_class, n_in, n_hidden):
        super().__init__()
        self.layer = layer_class(n_in, n_hidden, batch_first=True)
        self.read_out = nn.Linear(n_hidden, 1)

    def forward(self, x):
        outputs, _ = self.layer(x)  # (B, T, H)
        return self.read_out(outputs[:, -1]).squeeze(1)  # (B, H) -> (B, 1) -> (B,)


def count(model):
    """The number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def race(layer_class, n_hidden, max_steps, seed, good_enough=0.01):
    """Train on the adding problem: the model, steps taken, seconds per step, mean loss of the last 50.

    Raises ValueError for a race without steps.
    """
    if max_steps < 1:
        raise ValueError(f"a race needs at least one step, got max_steps = {max_steps}")
    torch.manual_seed(seed)
    model = Reader(layer_class, 2, n_hidden)
    if layer_class is nn.LSTM:
        with torch.no_grad():
            model.layer.bias_ih_l0[n_hidden : 2 * n_hidden] = 1.0  # the second of the four blocks
            model.layer.bias_hh_l0[n_hidden : 2 * n_hidden] = 0.0
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    start = time.perf_counter()
    for _ in range(max_steps):
        x, y = adding_problem(60, 50, generator)
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) >= 50 and np.mean(losses[-50:]) < good_enough:
            break
    seconds = (time.perf_counter() - start) / len(losses)
    return model, len(losses), seconds, np.mean(losses[-50:])


SEEDS = (0, 1, 2)
entrants = {"RNN": (nn.RNN, 66, 400), "LSTM": (nn.LSTM, 32, 800), "GRU": (nn.GRU, 37, 800)}
steps_taken = {name: [] for name in entrants}
final_errors = {name: [] for name in entrants}
step_seconds = {name: [] for name in entrants}
parameter_counts = {}
print(f"{'':12s}{'width':>8s}{'parameters':>12s}{'seed':>8s}{'steps':>8s}{'ms per step':>14s}{'error':>10s}")
for name, (layer_class, width, max_steps) in entrants.items():
    parameter_counts[name] = count(layer_class(2, width))
    for seed in SEEDS:
        racer, n_steps, seconds, error = race(layer_class, width, max_steps, seed)
        steps_taken[name].append(n_steps)
        step_seconds[name].append(seconds)
        final_errors[name].append(error)
        start = f"{name:12s}{width:8d}{parameter_counts[name]:12d}"
        print(f"{start}{seed:8d}{n_steps:8d}{1000 * seconds:14.1f}{error:10.3f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for k, (name, marker) in enumerate(zip(entrants, "o^s")):
    n_steps = np.array(steps_taken[name])  # (seeds,)
    errors = final_errors[name]
    left.plot(n_steps, errors, marker, color=f"C{k}", markerfacecolor="none", label=name)
    seconds = n_steps * np.array(step_seconds[name])
    right.plot(seconds, errors, marker, color=f"C{k}", markerfacecolor="none", label=name)
for ax in (left, right):
    ax.axhline(1 / 6, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlim=0, yscale="log")
left.set(xlabel="training steps (grey: always answering 1)", ylabel="squared error at the end")
left.set_title("Adding problem, equal parameters, three seeds")
right.set(xlabel="seconds of training", title="The same by the clock, on this machine")
right.legend(loc="center right")
plt.show()

# %% [markdown]
# In the left panel the GRU has learned to add after fewer steps than the LSTM, with every seed, while the
# plain RNN stays at the grey line. So on this task it is not worse with fewer parts. The right panel can
# look different, and on another machine the order may be another one, because on most CPUs PyTorch
# computes an LSTM in one call of a tuned library and a GRU in many small ones, so that a step of the GRU
# can take longer.
#
# What does the GRU do at a mark? We run the weights of the last one through our own forward pass and take,
# for each unit, the mean of its update gate at the marks and elsewhere. A square shows the unit whose last
# state has the largest correlation (2.8) with the sum. One would expect gates near 1 between the marks,
# nearest of all in that unit, and lower gates at the marks.

# %%
trained = {
    name: theirs.detach().double().numpy() for name, theirs in zip(p, racer.layer.parameters(), strict=True)
}
probe_x, probe_y = adding_problem(60, 500, torch.Generator().manual_seed(99))
sequences = probe_x.double().numpy()  # (500, 60, 2)
states, _, (_, _, trained_steps) = gru_forward(sequences, trained)  # states: (500, 60, H)
last_states = states[:, -1]  # (500, H)
correlations = np.array([np.corrcoef(column, probe_y.numpy())[0, 1] for column in last_states.T])  # (H,)
unit = int(np.abs(correlations).argmax())
update_gates = np.stack([z for _, _, z, _, _ in trained_steps], axis=1)  # (500, 60, H)
is_marked = sequences[:, :, 1] == 1  # (500, 60)
kept_at_marks = update_gates[is_marked].mean(axis=0)  # (H,)
kept_elsewhere = update_gates[~is_marked].mean(axis=0)
print(f"mean update gate {kept_at_marks.mean():.2f} at marks, {kept_elsewhere.mean():.2f} elsewhere")
print(f"largest {kept_elsewhere.max():.2f} elsewhere")
print(f"unit {unit}: correlation with the sum {correlations[unit]:.2f}")
print(f"its mean update gate {kept_elsewhere[unit]:.2f} elsewhere")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
ax.plot(kept_elsewhere, kept_at_marks, "o", markerfacecolor="none", label="units")
ax.plot(kept_elsewhere[unit], kept_at_marks[unit], "s", color="C1", label=f"unit {unit}, most correlated")
ax.set(xlabel="mean update gate elsewhere", ylabel="mean update gate at marks (grey: equal)")
ax.set(xlim=(0, 1), ylim=(0, 1), title=f"Update gates of the GRU of seed {SEEDS[-1]}")
ax.legend()
plt.show()

# %% [markdown]
# Most units lie below the grey line, so the layer lets more of its state be replaced at the marks, as
# expected. But the memory is not one unit with an open gate, as it was in 11.4. The largest gates keep
# about $0.95$ in each step, and the unit with the largest correlation keeps less, so after twenty steps
# hardly anything of its own old state would be left. What it knows must come back to it through the
# candidate, which reads all units, so the memory is spread over the layer. (These are the gates of one of
# the three networks.)
#
# When should one choose which? Chung and colleagues compared them on music and speech. Gated units were
# better than plain ones on speech, all three were close together on music, and neither gated unit won
# everywhere. Our adding problem is one task at one size, where the GRU was faster in steps with every
# seed. For a new task, try both with several seeds.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert max(parameter_counts.values()) < 1.02 * min(parameter_counts.values()), (
    "the numbers of parameters agree"
)
assert count(nn.GRU(2, 32)) / count(nn.LSTM(2, 32)) == 3 / 4, "at equal width a GRU has a quarter fewer"
assert min(final_errors["RNN"]) > 0.12, "the plain RNN does not learn to add"
assert max(final_errors["GRU"]) < 0.02, "the GRU learns to add, with every seed"
assert max(steps_taken["GRU"]) < min(steps_taken["LSTM"]), "the GRU needs fewer steps than the LSTM"
assert abs(correlations[unit]) > 0.8, "the state of one unit goes with the sum"
assert kept_at_marks.mean() < kept_elsewhere.mean() - 0.1, "at the marks the update gates are lower"
assert 0.9 < kept_elsewhere.max() < 0.99, "the largest gates keep about 0.95 in each step"
assert kept_elsewhere[unit] < 0.9, "the unit that goes with the sum is not the one with the most open gate"

# %% [markdown]
# ## Going further
#
# Lesson 11.6 stacks layers and lesson 11.7 reads in both directions, which the first part explains. The
# other parts, which can be skipped, are a second place for the reset gate, forecasts of sunspots, and a
# faster form.
#
# ### Layers on layers, and both ways
#
# Recurrent layers can be stacked, so that the second reads the outputs of the first. And a *bidirectional*
# layer is a pair of layers, of which one reads the sequence from the front and the other from the back.
# Their outputs stand side by side, so each position knows its past and its future. That suits a sentence
# that is complete, but not a forecast, where the future is what is asked for. In code both are loops
# around what we have.

# %%
deep = nn.GRU(5, 4, num_layers=2, bidirectional=True, batch_first=True, dtype=torch.float64)
arrays = [parameter.detach().numpy() for parameter in deep.parameters()]  # four for each direction
layer_x = x  # (B, T, C)
for k in range(2):
    forward_p = dict(zip(p, arrays[8 * k : 8 * k + 4]))
    backward_p = dict(zip(p, arrays[8 * k + 4 : 8 * k + 8]))
    ahead, _, _ = gru_forward(layer_x, forward_p)
    behind, _, _ = gru_forward(layer_x[:, ::-1], backward_p)  # reads from the back
    layer_x = np.concatenate([ahead, behind[:, ::-1]], axis=2)  # two (B, T, H) -> (B, T, 2H)
with torch.no_grad():
    deep_outputs, _ = deep(torch.from_numpy(x))
print(f"two layers, both ways: outputs {layer_x.shape}")
np.testing.assert_allclose(layer_x, deep_outputs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ### Where the paper puts the reset gate
#
# In the paper of 2014 the reset gate multiplies the state _before_ the product, $U_n (r \odot h_{t-1})$.
# PyTorch multiplies after it, because then one product serves all three blocks. How much do the two differ
# with the same weights?


# %%
def step_reset_before(x, h, p):
    """One step of the GRU of Cho et al. 2014: x (B, C), h (B, H), p as in `gru_forward` -> the new h."""
    W_r, W_z, W_n = np.split(p["W_ih"], 3)  # (H, C) each
    U_r, U_z, U_n = np.split(p["W_hh"], 3)  # (H, H) each
    b_r, b_z, b_n = np.split(p["b_ih"] + p["b_hh"], 3)  # (H,) each
    r = sigmoid(x @ W_r.T + h @ U_r.T + b_r)  # (B, C) @ (C, H) + (B, H) @ (H, H) -> (B, H)
    z = sigmoid(x @ W_z.T + h @ U_z.T + b_z)
    n = np.tanh(x @ W_n.T + (r * h) @ U_n.T + b_n)
    return z * h + (1 - z) * n


reset_before = step_reset_before(x[:, 0], h0, p)  # (B, H)
reset_difference = np.abs(reset_before - outputs[:, 0]).max()
print(f"after one step the states are up to {reset_difference:.2f} apart")

# %% [markdown]
# So they are two different networks. Both can be trained, but weights that were trained for one do not fit
# the other.
#
# ### Sunspots: is a network needed at all?
#
# The number of spots on the sun rises and falls in about eleven years. Two cheap forecasts for the next
# year are persistence (the same as this year) and *AR(2)*, a weighted sum of the last two years and a
# constant, fitted by least squares. AR stands for _autoregressive_, explained by its own past. A third
# forecast is an AR with more years. How many, from 1 to 20, is chosen by its error on the years 1881 to
# 1920, when it is fitted on the years before. The GRU reads the last twenty years. All four then learn on
# the years up to 1920 and are judged on those after, and one would expect the network with its long view
# to be far better. (For a table of your own, change the names of the columns and the years; about files
# from Excel, see 3.1.)

# %%
with open(HERE / "data" / "sunspots.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
for row in rows:
    if not (row.get("YEAR") and row.get("SUNACTIVITY")):
        raise ValueError(f"no YEAR or no SUNACTIVITY in the row {row} (3.1 says how)")
years = np.array([int(float(row["YEAR"])) for row in rows])
if np.any(np.diff(years) != 1):
    raise ValueError("the years must follow each other without a gap")
spots = np.array([float(row["SUNACTIVITY"]) for row in rows]) / 100  # in hundreds
SPAN = 20
windows = np.lib.stride_tricks.sliding_window_view(spots[:-1], SPAN)  # (n, 20)
targets = spots[SPAN:]  # (n,): the year after each window
target_years = years[SPAN:]
is_training = target_years <= 1920


def autoregression(n_lags, fit_rows):
    """Forecasts (n,) from the last n_lags years and a constant, by least squares on fit_rows (n,)."""
    design = np.column_stack([windows[:, -n_lags:], np.ones(len(windows))])  # (n, n_lags + 1)
    coefficients = np.linalg.lstsq(design[fit_rows], targets[fit_rows])[0]
    return design @ coefficients  # (n, n_lags + 1) @ (n_lags + 1,) -> (n,)


def error_in_spots(forecast, chosen_rows):
    """Root of the mean squared error, over chosen_rows (n,)."""
    return 100 * np.sqrt(((forecast - targets)[chosen_rows] ** 2).mean())


is_early = target_years <= 1880
if not (is_early.any() and (is_training & ~is_early).any() and (~is_training).any()):
    raise ValueError(f"no years to forecast until 1880, until 1920, or after, from the {SPAN} before")
choice_errors = {
    n_lags: error_in_spots(autoregression(n_lags, is_early), is_training & ~is_early)
    for n_lags in range(1, SPAN + 1)
}
best_lags = min(choice_errors, key=choice_errors.get)
forecasts = {"persistence": windows[:, -1]}
for n_lags in (2, best_lags):
    forecasts[f"AR({n_lags})"] = autoregression(n_lags, is_training)

window_x = torch.tensor(windows[:, :, None], dtype=torch.float32)  # (n, 20) -> (n, 20, 1)
target_y = torch.tensor(targets, dtype=torch.float32)
train_rows = torch.from_numpy(is_training)
for seed in SEEDS:
    torch.manual_seed(seed)
    forecaster = Reader(nn.GRU, 1, 16)
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=0.01)
    for _ in range(150):  # all training windows at once: there are only 201
        loss = F.mse_loss(forecaster(window_x[train_rows]), target_y[train_rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        forecasts[f"GRU, seed {seed}"] = forecaster(window_x).double().numpy()

test_errors = {}
print(f"{'error (spots)':20s}{'to 1920':>12s}{'after':>12s}")
for name, forecast in forecasts.items():
    test_errors[name] = error_in_spots(forecast, ~is_training)
    print(f"{name:20s}{error_in_spots(forecast, is_training):12.1f}{test_errors[name]:12.1f}")

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
shown = target_years > 1920
ax.plot(target_years[shown], 100 * targets[shown], "o", color="C0", markersize=4, label="observed")
for name, style, color in (("AR(2)", ":", "0.4"), ("GRU, seed 0", "-", "C1")):
    ax.plot(target_years[shown], 100 * forecasts[name][shown], style, color=color, label=name)
ax.set(xlabel="year", ylabel="sunspots", title="Forecasts one year ahead, for years after the training")
ax.legend(ncol=3, loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# Both forecasts follow the cycles. The table shows that AR(2) with its three numbers already has more than
# half of what the GRU gains on persistence, and that the AR with more years comes as close to the later
# years as the GRU does. So for these few numbers no network is needed, and the cheap forecast should be
# tried first and quoted beside the network's. (With two decades more to choose on, the choice falls on two
# years. The GRU's 150 training steps are not tuned, but 75 or 400 of them were worse on the later years,
# with four seeds.)
#
# ### The same, faster
#
# The tricks are those of lesson 11.4: the products with $x$ are taken before the loop, both gates share
# one tanh, because a sigmoid is half a tanh plus one half, and results are written into arrays that are
# there already. The gates' two biases can be joined before the loop, but the candidate's second one must
# stay inside its bracket. The weights' gradients wait until after the loop, and the price is again that
# the formulas can no longer be seen.


# %%
def gru_forward_fast(x, p, h0=None):
    """As `gru_forward`, with few new arrays in the loop; its cache is for `gru_backward_fast`."""
    check_shapes(x, p, h0)
    batch_size, n_steps, n_in = x.shape
    n_hidden = p["W_hh"].shape[1]
    two = 2 * n_hidden  # the gates' columns end here, and the candidate's begin
    dtype = np.result_type(x, *p.values(), np.float32)
    half = np.repeat(np.array([0.5, 0.5, 1], dtype), n_hidden)  # (3H,)
    bias = p["b_ih"].astype(dtype)
    bias[:two] += p["b_hh"][:two]
    flat_x = np.ascontiguousarray(x.transpose(1, 0, 2), dtype).reshape(-1, n_in)  # (B, T, C) -> (T * B, C)
    gates = flat_x @ (half[:, None] * p["W_ih"]).T  # (T * B, C) @ (C, 3H) -> (T * B, 3H)
    gates += half * bias
    gates = gates.reshape(n_steps, batch_size, 3 * n_hidden)
    recurrent = np.ascontiguousarray((half[:, None] * p["W_hh"]).T)  # (3H, H) -> (H, 3H)
    hiddens = np.zeros((n_steps + 1, batch_size, n_hidden), dtype)
    if h0 is not None:
        hiddens[0] = h0
    from_state = np.empty_like(hiddens[1:])  # (T, B, H): the candidate's, before the reset
    product = np.empty_like(gates[0])  # (B, 3H)
    for t in range(n_steps):
        np.matmul(hiddens[t], recurrent, out=product)  # (B, H) @ (H, 3H) -> (B, 3H)
        np.add(product[:, two:], p["b_hh"][two:], out=from_state[t])
        both = gates[t, :, :two]  # (B, 2H), a view
        n = gates[t, :, two:]  # (B, H), a view
        both += product[:, :two]
        np.tanh(both, out=both)
        both *= 0.5
        both += 0.5
        n += both[:, :n_hidden] * from_state[t]
        np.tanh(n, out=n)
        new_h = np.subtract(hiddens[t], n, out=hiddens[t + 1])  # z h + (1 - z) n = n + z (h - n)
        new_h *= both[:, n_hidden:]
        new_h += n
    cache = (flat_x, p, hiddens, gates, from_state)
    return hiddens[1:].transpose(1, 0, 2), hiddens[-1].copy(), cache  # (T, B, H) -> (B, T, H), a view


def gru_backward_fast(grad_outputs, cache):
    """As `gru_backward`, for the cache of `gru_forward_fast`; it does not check its inputs."""
    flat_x, p, hiddens, gates, from_state = cache
    n_steps, batch_size, n_hidden = from_state.shape
    to_input = np.empty_like(gates)  # (T, B, 3H)
    to_state = np.empty_like(gates)
    grad_h = np.zeros_like(from_state[0])
    for t in reversed(range(n_steps)):
        r, z, n = np.split(gates[t], 3, axis=1)  # (B, H) each
        at_r, at_z, at_n = np.split(to_input[t], 3, axis=1)  # views into to_input
        grad_h = grad_h + grad_outputs[:, t]
        np.multiply(grad_h * (1 - z), 1 - n * n, out=at_n)
        np.multiply(grad_h * (hiddens[t] - n), z * (1 - z), out=at_z)
        np.multiply(at_n * from_state[t], r * (1 - r), out=at_r)
        to_state[t] = to_input[t]
        to_state[t, :, 2 * n_hidden :] *= r
        grad_h = grad_h * z + to_state[t] @ p["W_hh"]  # (B, 3H) @ (3H, H) -> (B, H)
    flat_input = to_input.reshape(-1, 3 * n_hidden)  # (T, B, 3H) -> (T * B, 3H)
    flat_state = to_state.reshape(-1, 3 * n_hidden)
    grad_x = flat_input @ p["W_ih"]  # (T * B, 3H) @ (3H, C) -> (T * B, C)
    grad_x = grad_x.reshape(n_steps, batch_size, flat_x.shape[1])  # (T * B, C) -> (T, B, C)
    grads = {
        "W_ih": flat_input.T @ flat_x,  # (3H, T * B) @ (T * B, C) -> (3H, C)
        "W_hh": flat_state.T @ hiddens[:-1].reshape(-1, n_hidden),  # (3H, T * B) @ (T * B, H) -> (3H, H)
        "b_ih": flat_input.sum(axis=0),
        "b_hh": flat_state.sum(axis=0),
    }
    return grad_x.transpose(1, 0, 2), grads, grad_h  # (T, B, C) -> (B, T, C)


fast_outputs, fast_last, fast_cache = gru_forward_fast(x, p, h0)
fast_grad_x, fast_grads, fast_grad_h0 = gru_backward_fast(weights, fast_cache)
fast = (fast_outputs, fast_last, fast_grad_x, fast_grad_h0, *fast_grads.values())
plain = (outputs, last_h, grad_x, grad_h0, *grads.values())
for quick, slow in zip(fast, plain, strict=True):
    np.testing.assert_allclose(quick, slow, rtol=1e-10, atol=1e-12)

# %%
large = {name: array.astype(np.float32) for name, array in initial_parameters(64, 128, rng).items()}
large_x = rng.normal(size=(32, 64, 64)).astype(np.float32)  # (B, T, C)
large_grad = rng.normal(size=(32, 64, 128)).astype(np.float32)  # (B, T, H)
library = copied(nn.GRU, large, torch.float32)


def library_both():
    outputs, _ = library(torch.from_numpy(large_x))
    torch.autograd.grad(outputs, list(library.parameters()), torch.from_numpy(large_grad))


def milliseconds(f, n_rounds=5):
    """Shortest time of a call of f, which keeps out whatever else the machine is doing."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


timings = {
    "plain": lambda: gru_backward(large_grad, gru_forward(large_x, large)[2]),
    "fast": lambda: gru_backward_fast(large_grad, gru_forward_fast(large_x, large)[2]),
    "nn.GRU": library_both,
}
print("forward and backward, 32 sequences of 64 steps, 64 inputs, 128 units, float32")
for name, both in timings.items():
    print(f"{name:20s}{milliseconds(both):10.1f} ms")

# %% [markdown]
# The fast form gives the same numbers but for rounding and saves part of the time.

# %%
assert reset_difference > 0.01, "the two places of the reset gate are two different networks"
gru_errors = [test_errors[f"GRU, seed {seed}"] for seed in SEEDS]
assert max(gru_errors) < test_errors["persistence"], "the GRU beats persistence on sunspots"
halfway = (test_errors["persistence"] + min(gru_errors)) / 2
assert test_errors["AR(2)"] < halfway, "AR(2) has more than half of what the GRU gains"
assert test_errors[f"AR({best_lags})"] < max(gru_errors) + 1, "an AR with more years is as close as the GRU"

# %% [markdown]
# ## What to remember
#
# - $h_t = z \odot h_{t-1} + (1 - z) \odot n$: the update gate keeps and writes, and the gradient along the
#   state is multiplied by it.
# - The reset gate says how much of the old state the candidate uses. PyTorch applies it after the product,
#   the paper before it, and weights do not fit both.
# - At equal width a GRU has three quarters of an LSTM's parameters.
# - Compare at equal numbers of parameters, over seeds, and beside a forecast that needs no network.
#
# ## Try it
#
# Predict first, then change it and run from the top.
#
# 1. Train the sunspots' GRU for 400 steps in place of 150. What becomes of its two columns in the
#    table of the sunspots?
# 2. Make the GRU as wide as the LSTM, 32 in place of 37. Which claim fails, and does the GRU still need
#    fewer steps?
# 3. From a blank cell: write `minimal_forward(x, p)` for a unit without reset gate, with `W_ih` (2H, C)
#    and `W_hh` (2H, H), update gate first. Compare it with `gru_forward` whose reset gates are held open
#    by a bias of 40.
#
# ## Sources
#
# - K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
#   translation", EMNLP 2014, section 2.3: the unit, with the reset before the product.
# - J. Chung, C. Gulcehre, K. Cho, Y. Bengio, "Empirical evaluation of gated recurrent neural networks on
#   sequence modeling", 2014: speech and music. They write $z$ where we write $1 - z$.
# - G. U. Yule, "On a method of investigating periodicities in disturbed series", _Philosophical
#   Transactions A_ 226, 1927: AR(2), invented for sunspots. Reproduced: "AR(2) has more than half of what
#   the GRU gains".
