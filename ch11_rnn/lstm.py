# %% [markdown]
# # 11.4 LSTM: a memory that is kept, and three gates that decide what happens to it
#
# Somebody reads you a long list of numbers over the telephone and says twice, far apart, "this one
# counts". At the end you are asked for the sum of those two. You would write the first number down and
# leave it alone until the second one comes. The plain recurrent network of lesson 11.2 has no place to
# leave it, because it computes its whole state again at every step, and lesson 11.3 showed how little
# gradient is left after a few dozen steps.
#
# The *long short-term memory*, LSTM, keeps a second state that is only multiplied and added to, and it
# learns when to do either. Before the Transformer (chapter 12) LSTMs recognised speech and translated
# texts in the products of large companies, and they still forecast time series and run on small devices.
#
# **You will build** its three gates one at a time, forward and backward through time, let it answer the
# telephone, and look into the memory of what was learned. **You need** backpropagation through time
# (11.2), vanishing gradients (11.3) and Adam (7.2). **It takes** about half a minute.

# %%
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Four numbers arrive, $0.3$, $0.8$, $0.5$ and $0.2$, of which the second and the fourth count. The memory
# is one number $c$, zero at first. In each step it is multiplied by a number $f$ between 0 and 1, and the
# arriving number $g$ is added after multiplication by a number $i$ between 0 and 1. We choose $i = 1$
# where the number counts and $0$ elsewhere, and $f = 1$ except in the last step, where $f = \frac12$:
#
# $$\begin{aligned}
#   c_t &= f_t\, c_{t-1} + i_t\, g_t \\
#   c_1 &= 1 \cdot 0 + 0 \cdot 0.3 = 0 \\
#   c_2 &= 1 \cdot 0 + 1 \cdot 0.8 = 0.8 \\
#   c_3 &= 1 \cdot 0.8 + 0 \cdot 0.5 = 0.8 \\
#   c_4 &= \tfrac12 \cdot 0.8 + 1 \cdot 0.2 = 0.6
# \end{aligned}$$
#
# How much does $c_4$ change if $c_2$ changes a little? Each step multiplies by its own $f$, and the chain
# rule multiplies these factors:
#
# $$\frac{\partial c_4}{\partial c_2} = f_3\, f_4 = 1 \cdot \tfrac12 = \tfrac12 .$$
#
# In a plain recurrent network a matrix and a slope of tanh stand in the place of each $f$ (11.3), and
# their product shrinks or grows. Here the network itself chooses the factors, and it can choose 1.

# %%
numbers = [0.3, 0.8, 0.5, 0.2]
write = [0, 1, 0, 1]
keep = [1, 1, 1, 0.5]


def final_memory(numbers, write, keep, start=0.0):
    """c after c <- f * c + i * g for each number g with its i and f."""
    c = start
    for g, i, f in zip(numbers, write, keep, strict=True):
        c = f * c + i * g
    return c


end = final_memory(numbers, write, keep)
nudged = final_memory(numbers[2:], write[2:], keep[2:], start=0.8 + 1e-6)
print(f"c_4 is {end:.2f}, and it changes with c_2 at the rate {(nudged - end) / 1e-6:.3f}")
np.testing.assert_allclose([end, (nudged - end) / 1e-6], [0.6, 0.5], rtol=1e-6)

# %% [markdown]
# ## The cell, one gate at a time
#
# Now $f$ and $i$ are computed by the network. Such a number between 0 and 1 that multiplies something is a
# *gate*: at 1 it is open, at 0 it is shut. A gate is a small layer with a sigmoid, and it reads the input
# $x_t$ and the last output $h_{t-1}$. Each of the $H$ numbers in the memory has gates of its own.
#
# The weights have PyTorch's names: `W_ih` goes from the input to the hidden units, `W_hh` from the hidden
# units to themselves, and both have a bias. Each is a stack of four blocks of $H$ rows: input gate, forget
# gate, candidate, output gate.


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)) in a form that cannot overflow: half of tanh(z / 2), plus one half."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def initial_parameters(n_in, n_hidden, rng, n_blocks=4):
    """W_ih (4H, C), W_hh (4H, H), b_ih and b_hh (4H,) by name, uniform within 1 / sqrt(H), as in PyTorch."""
    width = n_blocks * n_hidden
    shapes = {"W_ih": (width, n_in), "W_hh": (width, n_hidden), "b_ih": (width,), "b_hh": (width,)}
    bound = 1 / np.sqrt(n_hidden)
    return {name: rng.uniform(-bound, bound, shape) for name, shape in shapes.items()}


small_p = initial_parameters(n_in=3, n_hidden=4, rng=rng)
W_i, W_f, W_g, W_o = np.split(small_p["W_ih"], 4)  # (H, C) each
U_i, U_f, U_g, U_o = np.split(small_p["W_hh"], 4)  # (H, H) each
b_i, b_f, b_g, b_o = np.split(small_p["b_ih"] + small_p["b_hh"], 4)  # (H,) each
one_x = rng.normal(size=(2, 3))  # (B, C): two sequences, three numbers from each
old_h = rng.normal(size=(2, 4))  # (B, H)
old_c = rng.normal(size=(2, 4))  # (B, H)

# %% [markdown]
# Here is the cell in three stages, each with one gate more. The upper line is the memory on its way from
# one step to the next.


# %%
def draw_cell(ax, n_gates):
    """The cell with its first n_gates gates: forget, input, output."""
    round_box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": "0.3"}
    square_box = {"boxstyle": "round", "facecolor": "C1", "edgecolor": "0.3"}

    def layer(x, text, y_top, x_top):
        ax.plot([x, x, x_top], [0.5, y_top, y_top], color="0.4", linewidth=1, zorder=0)
        ax.text(x, 1.6, text, ha="center", va="center", bbox=square_box)

    ax.plot([0, 10], [5, 5], color="C0", linewidth=4, zorder=0)
    last_layer = {1: 1.5, 2: 5.2, 3: 7.2}[n_gates]  # so far goes the line of the inputs
    ax.plot([0, last_layer], [0.5, 0.5], color="0.4", linewidth=1, zorder=0)
    layer(1.5, "σ\nforget", 5, 1.5)
    ax.text(1.5, 5, "×", ha="center", va="center", bbox=round_box)
    if n_gates >= 2:
        layer(3.5, "σ\ninput", 3.4, 5.2)
        layer(5.2, "tanh\ncand.", 5, 5.2)
        ax.text(5.2, 3.4, "×", ha="center", va="center", bbox=round_box)
        ax.text(5.2, 5, "+", ha="center", va="center", bbox=round_box)
    if n_gates >= 3:
        layer(7.2, "σ\noutput", 2.9, 8.6)
        ax.plot([8.6, 8.6, 10], [5, 2.9, 2.9], color="C2", linewidth=2, zorder=0)
        ax.text(8.6, 4.1, "tanh", ha="center", va="center", bbox=square_box)
        ax.text(8.6, 2.9, "×", ha="center", va="center", bbox=round_box)
        ax.text(10.1, 2.9, "$h_t$", va="center")
    ax.text(-0.1, 5, "$c_{t-1}$", ha="right", va="center")
    ax.text(10.1, 5, "$c_t$", va="center")
    ax.text(-0.1, 0.5, "$x_t, h_{t-1}$", ha="right", va="center")
    ax.set(xlim=(-2.2, 11), ylim=(0, 5.8))
    ax.axis("off")


fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
for n_gates, title in enumerate(("keep", "keep and write", "keep, write and show"), start=1):
    draw_cell(axes[n_gates - 1], n_gates)
    axes[n_gates - 1].set_title(title)
plt.show()

# %% [markdown]
# On the upper line stand only a multiplication and an addition, and no layer. All layers stand below it
# and decide what happens on the line, and we now build the three stages in code.
#
# First, the *forget gate* $f$ says how much of each number in the memory is kept. The memory is called the
# *cell state* $c$, and $\odot$ multiplies element by element:
#
# $$f_t = \sigma(W_f\, x_t + U_f\, h_{t-1} + b_f), \qquad \text{kept} = f_t \odot c_{t-1} .$$

# %%
f = sigmoid(one_x @ W_f.T + old_h @ U_f.T + b_f)  # (B, C) @ (C, H) + (B, H) @ (H, H) -> (B, H)
kept = f * old_c
print("forget gate of the first sequence", f[0].round(2))

# %% [markdown]
# Second, the *candidate* $g$ is what could be written, between $-1$ and $1$, and the *input gate* $i$ says
# how much of it is:
#
# $$i_t = \sigma(W_i\, x_t + U_i\, h_{t-1} + b_i), \qquad
#   g_t = \tanh(W_g\, x_t + U_g\, h_{t-1} + b_g), \qquad c_t = f_t \odot c_{t-1} + i_t \odot g_t .$$

# %%
i = sigmoid(one_x @ W_i.T + old_h @ U_i.T + b_i)  # (B, C) @ (C, H) + (B, H) @ (H, H) -> (B, H)
g = np.tanh(one_x @ W_g.T + old_h @ U_g.T + b_g)
new_c = kept + i * g
print("cell state before", old_c[0].round(2), "and after", new_c[0].round(2))

# %% [markdown]
# Third, the *output gate* $o$ says how much of the memory is shown to the rest of the network, and to the
# gates of the next step. So a number can be kept for long without being shown:
#
# $$o_t = \sigma(W_o\, x_t + U_o\, h_{t-1} + b_o), \qquad h_t = o_t \odot \tanh(c_t) .$$

# %%
o = sigmoid(one_x @ W_o.T + old_h @ U_o.T + b_o)  # (B, C) @ (C, H) + (B, H) @ (H, H) -> (B, H)
new_h = o * np.tanh(new_c)
print("shown", new_h[0].round(2))

# %% [markdown]
# ## Forward and backward through time
#
# For a whole sequence we repeat the step. Because the four layers read the same $x_t$ and $h_{t-1}$, one
# product with the stacked weights computes all four, and `np.split` cuts the result apart. The loop keeps
# what the way back will need.


# %%
def check_shapes(x, p, states, n_blocks=4):
    """Raise ValueError unless x (B, T, C), the parameters and the states (B, H) fit together."""
    if x.ndim != 3 or x.shape[1] == 0:
        raise ValueError(f"x must be (B, T, C) with at least one step, not {x.shape}")
    n_hidden = p["W_hh"].shape[-1]
    width = n_blocks * n_hidden
    expected = {"W_ih": (width, x.shape[2]), "W_hh": (width, n_hidden), "b_ih": (width,), "b_hh": (width,)}
    found = {name: array.shape for name, array in p.items()}
    if found != expected:
        raise ValueError(f"for x {x.shape} the parameters must have the shapes {expected}, not {found}")
    for state in states:
        if state is not None and state.shape != (len(x), n_hidden):
            raise ValueError(f"a first state must have the shape {(len(x), n_hidden)}, not {state.shape}")


def lstm_forward(x, p, h0=None, c0=None):
    """An LSTM over sequences x (B, T, C); Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000.

    p: W_ih (4H, C), W_hh (4H, H), b_ih, b_hh (4H,); blocks: input, forget, candidate, output, as in PyTorch.
    h0, c0: first states (B, H), zeros by default. Returns the outputs (B, T, H), the last states (h, c), and
    what `lstm_backward` needs. Raises ValueError for shapes that do not fit.
    """
    check_shapes(x, p, (h0, c0))
    zeros = np.zeros((len(x), p["W_hh"].shape[1]), p["W_hh"].dtype)  # (B, H)
    h = zeros if h0 is None else h0
    c = zeros if c0 is None else c0
    outputs = []
    steps = []
    for t in range(x.shape[1]):
        z = x[:, t] @ p["W_ih"].T + p["b_ih"] + h @ p["W_hh"].T + p["b_hh"]  # (B, C) @ (C, 4H) -> (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)  # (B, H) each
        i = sigmoid(z_i)
        f = sigmoid(z_f)
        g = np.tanh(z_g)
        o = sigmoid(z_o)
        new_c = f * c + i * g
        steps.append((h, c, i, f, g, o, np.tanh(new_c)))
        c = new_c
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), (h, c), (x, p, steps)  # T of (B, H) -> (B, T, H)


outputs, (last_h, last_c), _ = lstm_forward(one_x[:, None], small_p, old_h, old_c)  # (B, C) -> (B, 1, C)
np.testing.assert_allclose(last_h, new_h, rtol=1e-12)
np.testing.assert_allclose(last_c, new_c, rtol=1e-12)
print("one step of the loop gives what the three stages gave")

# %% [markdown]
# The way back starts at the last step. Two gradients arrive at step $t$: that of $h_t$ comes from the loss
# and from the gates of step $t + 1$, and that of $c_t$ comes along the memory. They meet because
# $h_t = o \odot \tanh(c_t)$ also depends on $c_t$, and what is used twice gets both gradients, added:
#
# $$\frac{\partial L}{\partial c_t} \leftarrow \frac{\partial L}{\partial c_t}
#   + \frac{\partial L}{\partial h_t} \odot o \odot (1 - \tanh^2 c_t) .$$
#
# Then each product hands its gradient to its two factors:
#
# $$\frac{\partial L}{\partial i} = \frac{\partial L}{\partial c_t} \odot g, \quad
#   \frac{\partial L}{\partial g} = \frac{\partial L}{\partial c_t} \odot i, \quad
#   \frac{\partial L}{\partial f} = \frac{\partial L}{\partial c_t} \odot c_{t-1}, \quad
#   \frac{\partial L}{\partial c_{t-1}} = \frac{\partial L}{\partial c_t} \odot f, \quad
#   \frac{\partial L}{\partial o} = \frac{\partial L}{\partial h_t} \odot \tanh c_t .$$
#
# Each gate multiplies by its slope, $a (1 - a)$ for a sigmoid with the value $a$ and $1 - a^2$ for tanh.
# Put side by side again, the four results are $\partial L / \partial z$, and from there on the way back is
# that of a linear layer (6.2). Because the same weights are used in every step, their gradients add up
# over the steps (11.2).


# %%
def lstm_backward(grad_outputs, cache, grad_c=None):
    """Gradients from those of the outputs (B, T, H); cache: from `lstm_forward`.

    grad_c: the gradient of the last cell state (B, H), if the loss reads it. Returns the gradient of x
    (B, T, C), those of the parameters by name, and those of the first states (h0, c0).
    Raises ValueError if grad_outputs has another shape than the outputs, or grad_c than the cell state.
    """
    x, p, steps = cache
    expected = (len(x), len(steps), p["W_hh"].shape[1])
    if grad_outputs.shape != expected:
        raise ValueError(f"grad_outputs must have the shape {expected}, not {grad_outputs.shape}")
    if grad_c is not None and grad_c.shape != expected[::2]:  # (B, H)
        raise ValueError(f"grad_c must have the shape {expected[::2]}, not {grad_c.shape}")
    dtype = steps[0][2].dtype
    grads = {name: np.zeros(array.shape, dtype) for name, array in p.items()}
    grad_x = np.zeros(x.shape, dtype)
    grad_h = np.zeros_like(steps[0][2])  # (B, H)
    grad_c = np.zeros_like(grad_h) if grad_c is None else grad_c
    for t in reversed(range(len(steps))):
        old_h, old_c, i, f, g, o, tanh_c = steps[t]
        grad_h = grad_h + grad_outputs[:, t]
        grad_c = grad_c + grad_h * o * (1 - tanh_c * tanh_c)
        grad_i = grad_c * g
        grad_f = grad_c * old_c
        grad_g = grad_c * i
        grad_o = grad_h * tanh_c
        grad_z_i = grad_i * i * (1 - i)
        grad_z_f = grad_f * f * (1 - f)
        grad_z_g = grad_g * (1 - g * g)
        grad_z_o = grad_o * o * (1 - o)
        grad_z = np.concatenate([grad_z_i, grad_z_f, grad_z_g, grad_z_o], axis=1)  # (B, 4H)
        grads["W_ih"] += grad_z.T @ x[:, t]  # (4H, B) @ (B, C) -> (4H, C)
        grads["W_hh"] += grad_z.T @ old_h  # (4H, B) @ (B, H) -> (4H, H)
        grads["b_ih"] += grad_z.sum(axis=0)
        grads["b_hh"] += grad_z.sum(axis=0)
        grad_x[:, t] = grad_z @ p["W_ih"]  # (B, 4H) @ (4H, C) -> (B, C)
        grad_h = grad_z @ p["W_hh"]  # (B, 4H) @ (4H, H) -> (B, H)
        grad_c = grad_c * f
    return grad_x, grads, (grad_h, grad_c)


# %% [markdown]
# The last line of the loop is the one of the paper section. Along the memory the gradient is multiplied by
# the forget gate and by nothing else.
#
# ## The same in PyTorch
#
# `nn.LSTM` is this cell, with the same names and the same order of the blocks, so its parameters can be
# copied one by one, and outputs, last states and all gradients must agree. The loss is a sum of all
# outputs and of the last cell state with random weights, so that nothing can cancel.


# %%
def copied(p, dtype=torch.float64):
    """nn.LSTM, batch first, with the parameters p."""
    layer = nn.LSTM(p["W_ih"].shape[1], p["W_hh"].shape[1], batch_first=True, dtype=dtype)
    with torch.no_grad():
        for theirs, ours in zip(layer.parameters(), p.values(), strict=True):  # the same order of names
            theirs.copy_(torch.from_numpy(ours))
    return layer


x = rng.normal(size=(3, 7, 5))  # (B, T, C)
h0 = rng.normal(size=(3, 4))  # (B, H)
c0 = rng.normal(size=(3, 4))
p = initial_parameters(5, 4, rng)
weights = rng.normal(size=(3, 7, 4))  # (B, T, H): of the outputs in the loss
weights_c = rng.normal(size=(3, 4))
outputs, (last_h, last_c), cache = lstm_forward(x, p, h0, c0)
grad_x, grads, (grad_h0, grad_c0) = lstm_backward(weights, cache, weights_c)

layer = copied(p)
torch_x, torch_h0, torch_c0 = (torch.tensor(array, requires_grad=True) for array in (x, h0, c0))
torch_outputs, (torch_h, torch_c) = layer(torch_x, (torch_h0[None], torch_c0[None]))  # states: (1, B, H)
loss = (torch_outputs * torch.from_numpy(weights)).sum() + (torch_c[0] * torch.from_numpy(weights_c)).sum()
torch_grads = torch.autograd.grad(loss, [torch_x, torch_h0, torch_c0, *layer.parameters()])
ours = (outputs, last_h, last_c, grad_x, grad_h0, grad_c0, *grads.values())
theirs = (torch_outputs, torch_h[0], torch_c[0], *torch_grads)
largest = 0.0
for array, tensor in zip(ours, theirs, strict=True):
    expected = tensor.detach().numpy()
    np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(array - expected).max())
print(f"outputs and gradients: largest difference {largest:.1e}")

# %% [markdown]
# ## The task from the telephone
#
# Sixty random numbers between 0 and 1 arrive, one is marked in each half, and the answer is the sum of the
# two. Always answering 1, the mean, costs a squared error of $\frac16$. To do better in this _adding
# problem_ of Hochreiter and Schmidhuber, a network must carry a number over dozens of steps.


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


def set_forget_bias(layer, value):
    """Make both biases of the forget gate of an nn.LSTM together equal to `value`."""
    n_hidden = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[n_hidden : 2 * n_hidden] = value  # the second of the four blocks
        layer.bias_hh_l0[n_hidden : 2 * n_hidden] = 0.0


class Reader(nn.Module):
    """A recurrent layer and one number read off its last output: (B, T, C) -> (B,)."""

    def __init__(self, layer_class, n_in, n_hidden):
        super().__init__()
        self.layer = layer_class(n_in, n_hidden, batch_first=True)
        self.read_out = nn.Linear(n_hidden, 1)

    def forward(self, x):
        outputs, _ = self.layer(x)  # (B, T, H)
        return self.read_out(outputs[:, -1]).squeeze(1)  # (B, H) -> (B, 1) -> (B,)


def train(model, task, loss_function, max_steps, learning_rate, good_enough, generator):
    """Steps on new batches task(generator) until the mean loss of 50 is below good_enough; the losses."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for _ in range(max_steps):
        x, y = task(generator)
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) >= 50 and np.mean(losses[-50:]) < good_enough:
            break
    return losses


# %% [markdown]
# Does either network do better than always answering 1? Each batch is new, so there is no training set to
# learn by heart, and no loader. The plain RNN starts from orthogonal weights, with which it remembered one
# sign over a hundred steps in lesson 11.3, and it gets two learning rates, since one might be a bad choice
# for it. The LSTM gets one rate. It starts with a bias of 1 at its forget gates, which holds them fairly
# open. (Jozefowicz and colleagues advise it, and _Going further_ measures what it does.) All networks have
# 32 units and stay on the CPU, where such small ones are fast. A thousand sequences that were not used in
# training judge them.


# %%
N_STEPS = 60


def sums(generator):
    return adding_problem(N_STEPS, 50, generator)


test_x, test_y = adding_problem(N_STEPS, 1000, torch.Generator().manual_seed(99))
entrants = {
    "RNN, rate 0.01": (nn.RNN, 0.01),
    "RNN, rate 0.001": (nn.RNN, 0.001),
    "LSTM, rate 0.01": (nn.LSTM, 0.01),
}
ADDING_SEEDS = (0, 1, 2)
always_one = ((test_y - 1) ** 2).mean().item()
curves = {name: [] for name in entrants}
test_errors = {name: [] for name in entrants}
print(f"{'':20s}{'seed':>12s}{'steps':>12s}{'test error':>12s}")
for name, (layer_class, learning_rate) in entrants.items():
    for seed in ADDING_SEEDS:
        torch.manual_seed(seed)
        adder = Reader(layer_class, 2, 32)
        if layer_class is nn.LSTM:
            set_forget_bias(adder.layer, 1.0)
        else:
            nn.init.orthogonal_(adder.layer.weight_hh_l0)
        generator = torch.Generator().manual_seed(seed)
        losses = train(adder, sums, F.mse_loss, 800, learning_rate, 0.005, generator)
        with torch.no_grad():
            error = F.mse_loss(adder(test_x), test_y).item()
        curves[name].append(losses)
        test_errors[name].append(error)
        print(f"{name:20s}{seed:12d}{len(losses):12d}{error:12.4f}")
print(f"{'always 1':20s}{'':24s}{always_one:12.4f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for k, (name, style) in enumerate(zip(curves, (":", "--", "-"))):
    for seed, losses in zip(ADDING_SEEDS, curves[name]):
        smooth = np.convolve(losses, np.ones(20) / 20, mode="valid")
        label = name if seed == 0 else None
        ax.semilogy(np.arange(20, len(losses) + 1), smooth, style, color=f"C{k}", linewidth=1, label=label)
ax.axhline(1 / 6, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step (grey: always answering 1)", ylabel="squared error, mean of 20 steps")
ax.set_title(f"The adding problem over {N_STEPS} steps, three seeds each")
ax.legend(fontsize=8, loc="lower left")
plt.show()

# %% [markdown]
# The RNN stays at the grey line with either rate, in spite of its good start. The LSTM's curves lie on it,
# too, for hundreds of steps, and then fall within a few dozen. A likely reason is that marking, keeping and
# adding are of use only together.
#
# ## What happens inside
#
# Which of the 32 numbers in the cell state holds the sum? We run the last LSTM's weights through our own
# forward pass and look for the unit whose last cell state has the largest correlation (2.8) with the
# answer, because its gates should say how it works.

# %%
# each entry of `steps` is (old h, old c, i, f, g, o, tanh c), and *_ stands for those that are not needed
trained = {
    name: theirs.detach().double().numpy() for name, theirs in zip(p, adder.layer.parameters(), strict=True)
}
sequences = test_x.double().numpy()  # (1000, 60, 2)
answers = test_y.double().numpy()
_, (_, end_cells), (_, _, steps) = lstm_forward(sequences, trained)
correlations = np.array([np.corrcoef(end_cells[:, k], answers)[0, 1] for k in range(32)])
unit = int(np.abs(correlations).argmax())
cells = np.stack([old_c[:, unit] for _, old_c, *_ in steps] + [end_cells[:, unit]], axis=1)  # (1000, 61)
forget_gates = np.stack([f[:, unit] for _, _, _, f, *_ in steps], axis=1)  # (1000, 60)
written = np.stack([(i * g)[:, unit] for _, _, i, _, g, *_ in steps], axis=1)  # (1000, 60)
is_marked = sequences[:, :, 1] == 1  # (1000, 60)
at_marks = np.abs(np.diff(cells, axis=1))[is_marked].mean()
elsewhere = np.abs(np.diff(cells, axis=1))[~is_marked].mean()
print(f"unit {unit}: correlation with the sum {correlations[unit]:.3f}")
print(f"mean forget gate {forget_gates.mean():.3f}")
print(f"its cell state changes by {at_marks:.3f} at a mark and by {elsewhere:.3f} elsewhere")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(np.arange(1, N_STEPS + 1), forget_gates[0], label="forget gate f")
left.plot(np.arange(1, N_STEPS + 1), written[0], "--", label="written, i times g")
for t in np.flatnonzero(is_marked[0]):
    left.axvline(t + 1, color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="step (grey: marked)", ylabel="value", title=f"Gates of unit {unit} on one sequence")
left.legend(fontsize=8)
for k, style in zip(range(3), ("-", "--", "-.")):
    right.plot(np.arange(N_STEPS + 1), cells[k], style, label=f"sum {answers[k]:.2f}")
    t = np.flatnonzero(is_marked[k]) + 1
    right.plot(t, cells[k, t], "o", color=f"C{k}", markerfacecolor="none")
right.set(xlabel="step", ylabel="cell state", title=f"Unit {unit} on three sequences (circles: marks)")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# The forget gate stays near 1, and something is written at the two grey lines, so the unit works like the
# memory of the paper section. In the right panel its cell state jumps at the marks. The sign of the
# correlation says in which direction large numbers move it, and numbers near the middle move it little,
# probably because the mean of the sum is known beforehand. Between the marks it drifts a little, but since
# all sequences have the same length, the last layer can take a common drift into account.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
for name in ("RNN, rate 0.01", "RNN, rate 0.001"):
    assert min(test_errors[name]) > 0.9 * always_one, f"the plain RNN does no better than always 1: {name}"
assert max(test_errors["LSTM, rate 0.01"]) < 0.1 * always_one, "the LSTM learns to add, with every seed"
for losses in curves["LSTM, rate 0.01"]:
    assert np.mean(losses[150:250]) > 0.12, "for hundreds of steps the LSTM's curve stays at the grey line"
assert abs(correlations[unit]) > 0.9, "the cell state of one unit goes with the sum"
assert forget_gates.mean() > 0.9, "its forget gate stays near 1"
assert at_marks > 5 * elsewhere, "its cell state jumps at the marks"

# %% [markdown]
# ## Going further
#
# Three additions that no later lesson needs: how far the gradient reaches at the start, what that does to
# learning, and a faster form.
#
# ### How far does the gradient reach?
#
# At the start of training a forget gate is near $\sigma(b)$, where $b$ is its bias, because the weights
# are small. So the path along the memory alone leaves about $\sigma(b)^k$ of the gradient after $k$ steps.
# There are other paths, because the state also has an effect on the gates of later steps. We measure what
# all paths leave together, in untrained layers of 32 units that read random numbers, with three biases and
# four seeds each, and do the same with a plain RNN. Does the gradient reach farther in any LSTM than in
# the plain RNN, or only in one with the right bias?


# %%
def gradient_left(layer, lag, seed, batch_size=8):
    """Norm of the gradient of the first state after `lag` steps, divided by that of the last state's."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch_size, lag, 2, generator=generator)
    state = torch.zeros(1, batch_size, 32, requires_grad=True)
    sent = torch.randn(1, batch_size, 32, generator=generator)  # the gradient that starts at the end
    if isinstance(layer, nn.LSTM):
        _, (_, last) = layer(x, (torch.zeros_like(state), state))
    else:
        _, last = layer(x, state)
    (arrived,) = torch.autograd.grad(last, state, sent)
    return (arrived.norm() / sent.norm()).item()


lags = (1, 10, 20, 30, 40)
SEEDS = (0, 1, 2, 3)
BIASES = (0.0, 1.0, 5.0)
left_over = {}  # by layer: (seeds, lags)
for name in ("RNN", *BIASES):
    lines = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        layer = nn.RNN(2, 32, batch_first=True) if name == "RNN" else nn.LSTM(2, 32, batch_first=True)
        if name != "RNN":
            set_forget_bias(layer, name)
        lines.append([gradient_left(layer, lag, seed) for lag in lags])
    left_over[name] = np.array(lines)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, marker in zip(left_over, "xos^"):
    color = "C1" if name == "RNN" else f"C{2 * BIASES.index(name)}"
    label = "RNN" if name == "RNN" else f"LSTM, forget bias {name:g}"
    ax.semilogy(lags, left_over[name].T, marker, color=color, markerfacecolor="none")
    ax.plot([], [], marker, color=color, markerfacecolor="none", label=label)
for k, bias in enumerate(BIASES):
    predicted = [sigmoid(bias) ** lag for lag in lags]
    ax.semilogy(lags, predicted, "--", color=f"C{2 * k}", linewidth=1)
ax.set(
    xlabel="steps back",
    ylabel="share of the gradient left",
    title="Untrained layers, four seeds each (dashed: $\\sigma(b)^k$)",
)
ax.legend(fontsize=8, loc="lower left")
plt.show()

# %% [markdown]
# The markers show what was measured, and the dashed lines are $\sigma(b)^k$. More arrives than the path
# along the memory alone would leave, so the other paths add to it, but the forget bias decides how much.
# With 0, which is where PyTorch's biases lie on average, less than a millionth arrives from forty steps
# back, as in the plain RNN. With 1 it is about a thousandth, and with 5 the gradient even grows, because
# the other paths add to one that loses little. So an LSTM carries gradients far only if its forget gates
# are open.
#
# ### How open must the forget gate be at the start?
#
# Here is a task with one long lag only. The first number is $+1$ or $-1$, forty steps of weak noise
# follow, and then we ask which it was. Only the bias of the forget gate at the start differs. From the
# figure of gradients one might expect that the bias 1 fails and 5 succeeds, so the question is where the
# border lies between them. At the bias $\ln 40$ the gate is $1 / (1 + \frac1{40})$, and its fortieth power
# is close to $1 / e$. The same holds for any other lag and its logarithm.
#
# The last row asks another question. The LSTMs of the adding problem started with the bias 1, had to
# bridge up to sixty steps, and yet they learned, perhaps because some marks there stand close to the end.
# So in the last row the sign comes at a random place, 1 to 40 steps before the end.


# %%
LAG = 40


def recall(generator, shortest=LAG, longest=LAG, batch_size=50):
    """Noise with a sign at a random place, `shortest` to `longest` steps before the end, and a mark there.

    Returns the sequences (B, longest + 1, 2) and whether the sign is +1 (B,), as 0 or 1. Raises ValueError
    unless 0 <= shortest <= longest.
    """
    if not 0 <= shortest <= longest:
        raise ValueError(f"no place from {shortest} to {longest} steps before the end")
    x = torch.zeros(batch_size, longest + 1, 2)
    x[:, :, 0] = 0.3 * torch.randn(batch_size, longest + 1, generator=generator)
    y = torch.randint(0, 2, (batch_size,), generator=generator).float()
    lag = torch.randint(shortest, longest + 1, (batch_size,), generator=generator)
    rows = torch.arange(batch_size)
    x[rows, longest - lag, 0] = 2 * y - 1
    x[rows, longest - lag, 1] = 1
    return x, y


def any_lag(generator):
    return recall(generator, shortest=1)


recall_runs = {f"bias {bias:g}": (bias, recall) for bias in (1, 2, 3)}
recall_runs[f"bias ln {LAG}"] = (math.log(LAG), recall)
recall_runs["bias 5"] = (5, recall)
recall_runs["bias 1, all lags"] = (1, any_lag)
far_x, far_y = recall(torch.Generator().manual_seed(99), batch_size=500)
recall_accuracy = {}
print(f"{'':24s}{'along memory':>14s}    right at lag {LAG}, by seed")
for name, (bias, task) in recall_runs.items():
    recall_accuracy[name] = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = Reader(nn.LSTM, 2, 32)
        set_forget_bias(model.layer, bias)
        generator = torch.Generator().manual_seed(seed)
        train(model, task, F.binary_cross_entropy_with_logits, 300, 0.01, 0.1, generator)
        with torch.no_grad():
            right_share = ((model(far_x) > 0) == (far_y == 1)).double().mean().item()
        recall_accuracy[name].append(right_share)
    shares = "".join(f"{share:8.2f}" for share in recall_accuracy[name])
    print(f"{name:24s}{sigmoid(bias) ** LAG:14.2g}{shares}")

# %% [markdown]
# With the bias 1 the answers are guesses after these 300 steps, which fits the small gradient in the
# figure and the column _along memory_, which is $\sigma(b)^{40}$. From 2 on the LSTM learns with every
# seed. Tallec and Ollivier proposed biases as large as the logarithm of the lag. At this lag that is
# enough, and more than is needed.
#
# The last row starts with the bias 1, like the first, and answers at lag 40 all the same. Short lags give a
# gradient from the beginning, and what is learned from them helps with the long ones. That is probably how
# the adding problem could be learned.
#
# ### The same, faster
#
# The plain loop makes dozens of small arrays in every step, and three changes save most of that time. The
# products with $x$ do not depend on the state, so they are taken for all steps at once, before the loop. A
# sigmoid is half a tanh of half its argument, plus one half, so a single tanh can serve all four blocks,
# if the sigmoids' rows of the weights are halved beforehand. And the results are written into arrays that
# are there already. On the way back, the weights' gradients wait until after the loop, where each is one
# product over all steps. The price is that one can no longer read the gates off the code.


# %%
def lstm_forward_fast(x, p, h0=None, c0=None):
    """As `lstm_forward`, with few new arrays in the loop; its cache is for `lstm_backward_fast`."""
    check_shapes(x, p, (h0, c0))
    batch_size, n_steps, n_in = x.shape
    n_hidden = p["W_hh"].shape[1]
    dtype = np.result_type(x, *p.values(), np.float32)
    half = np.repeat(np.array([0.5, 0.5, 1, 0.5], dtype), n_hidden)  # (4H,)
    lift = 1 - half
    flat_x = np.ascontiguousarray(x.transpose(1, 0, 2), dtype).reshape(-1, n_in)  # (B, T, C) -> (T * B, C)
    gates = flat_x @ (half[:, None] * p["W_ih"]).T  # (T * B, C) @ (C, 4H) -> (T * B, 4H)
    gates += half * (p["b_ih"] + p["b_hh"])
    gates = gates.reshape(n_steps, batch_size, 4 * n_hidden)
    recurrent = np.ascontiguousarray((half[:, None] * p["W_hh"]).T)  # (4H, H) -> (H, 4H)
    hiddens = np.zeros((n_steps + 1, batch_size, n_hidden), dtype)
    cells = np.zeros_like(hiddens)
    if h0 is not None:
        hiddens[0] = h0
    if c0 is not None:
        cells[0] = c0
    shown = np.empty_like(hiddens[1:])  # (T, B, H): tanh of the cell state
    product = np.empty_like(gates[0])  # (B, 4H)
    written = np.empty_like(shown[0])  # (B, H)
    by_gate = gates.reshape(n_steps, batch_size, 4, n_hidden)  # (T, B, 4H) -> (T, B, 4, H), a view
    i, f, g, o = by_gate.transpose(2, 0, 1, 3)  # (T, B, H) each, views
    for t in range(n_steps):
        z = gates[t]  # (B, 4H), a view: what follows changes the gates in place
        z += np.matmul(hiddens[t], recurrent, out=product)  # (B, H) @ (H, 4H) -> (B, 4H)
        np.tanh(z, out=z)
        z *= half
        z += lift
        new_c = np.multiply(f[t], cells[t], out=cells[t + 1])
        new_c += np.multiply(i[t], g[t], out=written)
        np.tanh(new_c, out=shown[t])
        np.multiply(o[t], shown[t], out=hiddens[t + 1])
    cache = (flat_x, p, hiddens, cells, gates, shown)
    return hiddens[1:].transpose(1, 0, 2), (hiddens[-1].copy(), cells[-1].copy()), cache  # (B, T, H), a view


def lstm_backward_fast(grad_outputs, cache, grad_c=None):
    """As `lstm_backward`, for the cache of `lstm_forward_fast`; it does not check its inputs."""
    flat_x, p, hiddens, cells, gates, shown = cache
    n_steps, batch_size, n_hidden = shown.shape
    grad_z = np.empty_like(gates)  # (T, B, 4H)
    by_gate = gates.reshape(n_steps, batch_size, 4, n_hidden)  # (T, B, 4H) -> (T, B, 4, H), a view
    i, f, g, o = by_gate.transpose(2, 0, 1, 3)  # (T, B, H) each, views
    grad_by_gate = grad_z.reshape(n_steps, batch_size, 4, n_hidden)
    grad_i, grad_f, grad_g, grad_o = grad_by_gate.transpose(2, 0, 1, 3)
    grad_h = np.zeros_like(shown[0])
    grad_c = np.zeros_like(grad_h) if grad_c is None else grad_c
    for t in reversed(range(n_steps)):
        grad_h = grad_h + grad_outputs[:, t]
        grad_c = grad_c + grad_h * o[t] * (1 - shown[t] * shown[t])
        slope = 1 - gates[t]
        slope *= gates[t]
        slope[:, 2 * n_hidden : 3 * n_hidden] = 1 - g[t] * g[t]
        np.multiply(grad_c, g[t], out=grad_i[t])
        np.multiply(grad_c, cells[t], out=grad_f[t])
        np.multiply(grad_c, i[t], out=grad_g[t])
        np.multiply(grad_h, shown[t], out=grad_o[t])
        at_z = grad_z[t]  # (B, 4H), a view
        at_z *= slope
        grad_h = at_z @ p["W_hh"]  # (B, 4H) @ (4H, H) -> (B, H)
        grad_c = grad_c * f[t]
    flat = grad_z.reshape(-1, 4 * n_hidden)  # (T, B, 4H) -> (T * B, 4H)
    grad_x = flat @ p["W_ih"]  # (T * B, 4H) @ (4H, C) -> (T * B, C)
    grad_x = grad_x.reshape(n_steps, batch_size, flat_x.shape[1])  # (T * B, C) -> (T, B, C)
    grads = {
        "W_ih": flat.T @ flat_x,  # (4H, T * B) @ (T * B, C) -> (4H, C)
        "W_hh": flat.T @ hiddens[:-1].reshape(-1, n_hidden),  # (4H, T * B) @ (T * B, H) -> (4H, H)
        "b_ih": flat.sum(axis=0),
        "b_hh": flat.sum(axis=0),
    }
    return grad_x.transpose(1, 0, 2), grads, (grad_h, grad_c)  # (T, B, C) -> (B, T, C)


fast_outputs, fast_last, fast_cache = lstm_forward_fast(x, p, h0, c0)
fast_grad_x, fast_grads, fast_grad_states = lstm_backward_fast(weights, fast_cache, weights_c)
fast = (fast_outputs, *fast_last, fast_grad_x, *fast_grads.values(), *fast_grad_states)
plain = (outputs, last_h, last_c, grad_x, *grads.values(), grad_h0, grad_c0)
for ours, theirs in zip(fast, plain, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %%
large = {name: array.astype(np.float32) for name, array in initial_parameters(64, 128, rng).items()}
large_x = rng.normal(size=(32, 64, 64)).astype(np.float32)  # (B, T, C)
large_grad = rng.normal(size=(32, 64, 128)).astype(np.float32)  # (B, T, H)
library = copied(large, torch.float32)


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
    "plain": lambda: lstm_backward(large_grad, lstm_forward(large_x, large)[2]),
    "fast": lambda: lstm_backward_fast(large_grad, lstm_forward_fast(large_x, large)[2]),
    "nn.LSTM": library_both,
}
print("forward and backward, 32 sequences of 64 steps, 64 inputs, 128 units, float32")
for name, both in timings.items():
    print(f"{name:20s}{milliseconds(both):10.1f} ms")

# %% [markdown]
# The fast form gives the same numbers but for rounding, and it saves a good part of the time. PyTorch's
# LSTM was faster still in the measurements on the chapter's page. On a CPU it is one call of a tuned
# library.

# %%
assert left_over[5.0][:, -1].min() > 2, "with the bias 5 the gradient even grows in 40 steps"
assert 1e-4 < left_over[1.0][:, -1].mean() < 1e-2, "with the bias 1 about a thousandth arrives"
for name in (0.0, "RNN"):
    assert left_over[name][:, -1].max() < 1e-6, f"less than a millionth arrives: {name}"
for bias in BIASES:
    assert left_over[bias][:, -1].min() > sigmoid(bias) ** 40, (
        f"other paths add to the memory's: bias {bias:g}"
    )
assert max(recall_accuracy["bias 1"]) < 0.65, "with the bias 1 the single lag is not learned in 300 steps"
for name in ("bias 2", "bias 3", f"bias ln {LAG}", "bias 5"):
    assert min(recall_accuracy[name]) > 0.9, f"from the bias 2 on it is learned: {name}"
assert min(recall_accuracy["bias 1, all lags"]) > 0.9, (
    "with short lags among the long ones the bias 1 is enough"
)

# %% [markdown]
# ## What to remember
#
# - The cell state is multiplied by the forget gate and added to, $c_t = f \odot c_{t-1} + i \odot g$, and
#   along it the gradient is the product of the forget gates.
# - The input gate decides what is written, the forget gate what is kept, the output gate what is shown.
# - The bias of the forget gate decides how far the gradient reaches when training starts. At the logarithm
#   of the lag the path along the memory leaves about a third.
# - Short lags among the long ones make those learnable, too.
#
# ## Try it
#
# Predict first, then change it and run from the top.
#
# 1. Make the telephone call shorter: `N_STEPS = 20`. Do the plain RNNs learn to add now? Look at the second
#    figure.
# 2. Set `LAG = 10` for the sign. Which rows of the last table change, and which claim fails? Then try 100,
#    which takes longer: is the logarithm of the lag still enough in 300 steps?
# 3. From a blank cell: an LSTM without output gate shows $h_t = \tanh(c_t)$. Write
#    `without_output_gate(x, p)`, with `W_ih` (3H, C) and `W_hh` (3H, H), and compare it with
#    `lstm_forward` whose output gates are held open by a bias of 40.
#
# ## Sources
#
# - S. Hochreiter, J. Schmidhuber, "Long short-term memory", _Neural Computation_ 9, 1997, sections 4 and
#   5.4: the cell, and the adding problem. Reproduced: "the LSTM learns to add, with every seed".
# - F. Gers, J. Schmidhuber, F. Cummins, "Learning to forget: continual prediction with LSTM", _Neural
#   Computation_ 12, 2000: the forget gate.
# - M. Arjovsky, A. Shah, Y. Bengio, "Unitary evolution recurrent neural networks", ICML 2016: the adding
#   problem with numbers from 0 to 1.
# - R. Jozefowicz, W. Zaremba, I. Sutskever, "An empirical exploration of recurrent network architectures",
#   ICML 2015: the forget bias of 1.
# - C. Tallec, Y. Ollivier, "Can recurrent neural networks warp time?", ICLR 2018: biases as large as the
#   logarithm of the lag. Reproduced: "from the bias 2 on it is learned".
