# %% [markdown]
# # 11.4 LSTM: a memory with three doors
#
# Ask a friend to add up two numbers from a long phone call. The friend does not rehearse the whole call
# in their head, sentence by sentence: they write the first number on a pad and leave it alone until the
# second one comes. The plain RNN of lesson 11.2, the *vanilla* network, has no pad. It rewrites all it
# knows at every step, and lesson 11.3 showed what is left after forty rewritings.
#
# **You will build** a cell with a pad, the *long short-term memory*: its gates one at a time, its
# gradients by hand, a fast version in NumPy, and two tasks that show what it can and cannot remember.
# **You need** backpropagation through time (11.2) and vanishing gradients (11.3). **It takes** about three
# quarters of a minute.

# %%
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
# Four numbers arrive, $0.3, 0.8, 0.5, 0.2$, and two of them are marked. The pad is one number $c$, zero
# at first. What might be written is the *candidate* $g$, here the number that arrives. If the pad may
# only *add*, $c \leftarrow c + g$, it ends at $1.8$: everything is in it. A door that lets only marked
# numbers in, $c \leftarrow c + i\,g$ with $i$ equal to the mark, ends at $0.8 + 0.2 = 1$. A second door
# empties the pad when it closes: $c \leftarrow f\,c + i\,g$. Shut it at the last step, $f = 0$, and only
# the $0.2$ remains.

# %%
numbers, marks = [0.3, 0.8, 0.5, 0.2], [0, 1, 0, 1]


def pad(inputs, input_gates, forget_gates):
    """What the pad holds after c <- f * c + i * g for each candidate g and its two gates."""
    c = 0.0
    for g, i, f in zip(inputs, input_gates, forget_gates, strict=True):
        c = f * c + i * g
    return c


everything = pad(numbers, [1, 1, 1, 1], [1, 1, 1, 1])
marked = pad(numbers, marks, [1, 1, 1, 1])
emptied = pad(numbers, marks, [1, 1, 1, 0])
print(f"no doors {everything:.1f}   input gate {marked:.1f}   forget gate shut at the end {emptied:.1f}")
np.testing.assert_allclose([everything, marked, emptied], [1.8, 1.0, 0.2])

# %% [markdown]
# ## The belt
#
# Why is that better than $h \leftarrow \tanh(W h + \dots)$? Follow the gradient. Along the pad alone,
# $\partial c_t / \partial c_{t-1} = f_t$, so over many steps
#
# $$\frac{\partial c_T}{\partial c_0} = \prod_{t=1}^{T} f_t .$$
#
# No matrix, no slope of tanh. (The gates depend on the past too, which adds longer ways; this one is the
# express.) The pad, properly the *cell state*, is a conveyor belt: what lies on it is carried along,
# scaled only by a gate that the network controls. A gate is a sigmoid, so at rest it is $\sigma(b)$,
# where $b$ is its bias. How open must it rest?


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)) as half a tanh, which cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


lags = np.arange(201)
left_over = {bias: sigmoid(bias) ** lags for bias in (0.0, 1.0, 3.0, 5.0, 8.0)}
print(f"{'forget bias':20s}{'gate':>12s}{'after 40':>12s}{'after 200':>12s}")
for bias, line in left_over.items():
    print(f"{bias:<20g}{line[1]:12.4g}{line[40]:12.3g}{line[200]:12.3g}")
assert 0.93 < left_over[8.0][200] < 0.94
assert left_over[1.0][40] < 1e-5 and left_over[1.0][200] < 1e-27
assert left_over[5.0][40] > 0.7

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (bias, line), style in zip(left_over.items(), ("-", "--", "-.", ":", "-")):
    ax.semilogy(lags, line, style, label=f"bias {bias:g}")
ax.set(
    xlabel="steps", ylabel="share of the gradient left", title="The belt carries only if the gate rests open"
)
ax.set(ylim=(1e-12, 3))
ax.legend(loc="lower right", fontsize=8)
plt.show()

# %% [markdown]
# ## The whole cell
#
# Now the doors are learned. Each is a small layer that looks at the input $x_t$ and at the last output
# $h_{t-1}$ and answers between 0 (shut) and 1 (open). The *input gate* $i$ guards what is written, the
# *forget gate* $f$ what is kept, and a third, the *output gate* $o$, what is shown:
#
# $$i, f, o = \sigma(W x_t + U h_{t-1} + b), \qquad g = \tanh(W x_t + U h_{t-1} + b),$$
# $$c_t = f \odot c_{t-1} + i \odot g, \qquad h_t = o \odot \tanh(c_t),$$
#
# with weights of its own for each of the four; $W$ and $U$ are what 11.2 called $W_{ih}$ and $W_{hh}$. We
# stack the four weights, in PyTorch's order $i, f, g, o$, into one matrix, and cut it apart again, gate
# by gate.


# %%
def lstm_step(x, h, c, weight_ih, weight_hh, bias):
    """One step of an LSTM, gate by gate; Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000.

    x: (B, D), h and c: (B, H), weight_ih: (4H, D), weight_hh: (4H, H), bias: (4H,), in the order input gate,
    forget gate, candidate, output gate. Returns the new h and c, (B, H) each.
    """
    activations = {"input": sigmoid, "forget": sigmoid, "candidate": np.tanh, "output": sigmoid}
    value, n_hidden = {}, h.shape[1]
    for k, (name, f) in enumerate(activations.items()):
        rows = slice(k * n_hidden, (k + 1) * n_hidden)
        # (B, D) @ (D, H) and (B, H) @ (H, H) -> (B, H)
        value[name] = f(x @ weight_ih[rows].T + h @ weight_hh[rows].T + bias[rows])
    c = value["forget"] * c + value["input"] * value["candidate"]
    return value["output"] * np.tanh(c), c


def lstm_loops(x, h, c, weight_ih, weight_hh, bias):
    """Every h of a sequence x: (T, B, D), time first, as (T, B, H), and the last c, (B, H)."""
    hiddens = []
    for step in x:
        h, c = lstm_step(step, h, c, weight_ih, weight_hh, bias)
        hiddens.append(h)
    return np.stack(hiddens), c


# %% [markdown]
# With the doors set by hand, this is the pad of our example: biases of $\pm 40$ hold a gate fully open or
# shut, and a weight of $80$ on the mark opens the input gate. The numbers pass a tanh on the way in and
# another on the way out, so we show it $\operatorname{artanh}$, tanh undone, of each.

# %%
weight_ih = np.array([[0.0, 80], [0, 0], [1, 0], [0, 0]])  # (4, 2): the gates' weights on (number, mark)
weight_hh, bias = np.zeros((4, 1)), np.array([-40.0, 40, 0, 40])
x = np.stack([np.arctanh(numbers), marks], axis=1)[:, None]  # (4, 1, 2): time, batch, features
hiddens, c = lstm_loops(x, np.zeros((1, 1)), np.zeros((1, 1)), weight_ih, weight_hh, bias)
print(f"on the pad {c.item():.4f}, shown {hiddens[-1].item():.4f}, which is tanh of it")
np.testing.assert_allclose([c.item(), hiddens[-1].item()], [marked, np.tanh(marked)])

# %% [markdown]
# ## The same, faster
#
# Three changes, none of which alters the result. The inputs are all known, so their products are taken
# for all steps at once, before the loop. The four gates share one product of width $4H$. And since
# $\sigma(z) = \frac12 + \frac12 \tanh(z / 2)$, one tanh serves all four: halve the sigmoids' rows
# beforehand, then halve and lift the result.


# %%
def lstm_forward(x, h, c, weight_ih, weight_hh, bias):
    """All steps of an LSTM, one product a step; shapes and order as in `lstm_step`, x: (T, B, D), time first.

    Returns the hidden states (T, B, H), the final (h, c), and what `lstm_backward` needs.
    Raises ValueError where a shape does not fit.
    """
    (n_steps, batch_size, n_in), n_hidden = x.shape, h.shape[-1]
    state, width = (batch_size, n_hidden), 4 * n_hidden
    expected = state, state, (width, n_in), (width, n_hidden), (width,)
    shapes = h.shape, c.shape, weight_ih.shape, weight_hh.shape, bias.shape
    if shapes != expected:
        raise ValueError(f"h, c, weights and bias have shapes {shapes}, expected {expected}")
    half = np.repeat(np.array([0.5, 0.5, 1, 0.5], x.dtype), n_hidden)  # (4H,)
    lift = 1 - half
    recurrent = np.ascontiguousarray((half[:, None] * weight_hh).T)  # (4H, H) -> (H, 4H)
    # (T * B, D) @ (D, 4H) -> (T * B, 4H) -> (T, B, 4H)
    gates = x.reshape(-1, n_in) @ (half[:, None] * weight_ih).T
    gates += half * bias
    gates = gates.reshape(n_steps, batch_size, 4 * n_hidden)
    hiddens, cells = np.empty((2, n_steps + 1, *state), x.dtype)  # (T + 1, B, H) each
    hiddens[0], cells[0] = h, c
    shown = np.empty((n_steps, *state), x.dtype)
    product = np.empty_like(gates[0])  # (B, 4H)
    by_gate = gates.reshape(n_steps, batch_size, 4, n_hidden)
    i, f, g, o = by_gate.transpose(2, 0, 1, 3)  # (T, B, H) each, views
    for t, z in enumerate(gates):  # z: (B, 4H), a view: the gates are computed in place
        z += np.matmul(hiddens[t], recurrent, out=product)  # (B, H) @ (H, 4H) -> (B, 4H)
        np.tanh(z, out=z)
        z *= half
        z += lift
        np.multiply(f[t], cells[t], out=cells[t + 1])
        cells[t + 1] += i[t] * g[t]
        np.tanh(cells[t + 1], out=shown[t])
        np.multiply(o[t], shown[t], out=hiddens[t + 1])
    return hiddens[1:], (hiddens[-1], cells[-1]), (x, hiddens, cells, gates, shown, weight_ih, weight_hh)


# %% [markdown]
# An awkward size, random weights, and the two must agree.


# %%
def initial_parameters(n_in, n_hidden, rng):
    """weight_ih (4H, D), weight_hh (4H, H) and bias (4H,), uniform within 1 / sqrt(H)."""
    shapes = (4 * n_hidden, n_in), (4 * n_hidden, n_hidden), (4 * n_hidden,)
    return [rng.uniform(-1, 1, shape) / np.sqrt(n_hidden) for shape in shapes]


n_steps, batch_size, n_in, n_hidden = 7, 3, 5, 4
x = rng.normal(size=(n_steps, batch_size, n_in))  # (T, B, D)
h, c = rng.normal(size=(2, batch_size, n_hidden))  # (B, H) each
parameters = initial_parameters(n_in, n_hidden, rng)
hiddens, (last_h, last_c), cache = lstm_forward(x, h, c, *parameters)
slow_hiddens, slow_c = lstm_loops(x, h, c, *parameters)
largest = max(np.abs(hiddens - slow_hiddens).max(), np.abs(last_c - slow_c).max())
print(f"largest difference {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## Backward
#
# Walk the loop from its last step to its first. Two gradients arrive at a step: that of $h_t$, from the
# loss and from the next step's gates, and that of $c_t$, which came down the belt. With a bar for the
# gradient of the loss, they meet:
#
# $$\bar c_t \mathrel{+}= \bar h_t \odot o \odot (1 - \tanh^2 c_t), \qquad
#   \bar\imath = \bar c_t \odot g, \quad \bar f = \bar c_t \odot c_{t-1},
#   \quad \bar g = \bar c_t \odot i, \quad \bar o = \bar h_t \odot \tanh c_t .$$
#
# Each gate's gradient passes its slope, $a (1 - a)$ for a sigmoid and $1 - a^2$ for tanh. Side by side
# the four are then $\bar z$. From here $\bar z\, U$ goes back to $h_{t-1}$, and $f \odot \bar c_t$ to
# $c_{t-1}$: the product of forget gates, in one line of code. The weights' gradients wait until after the
# loop, where each is one product over all steps.


# %%
def lstm_backward(d_hiddens, d_h, d_c, cache):
    """Gradients of x, h, c, weight_ih, weight_hh and bias, in that order, each in its shape.

    d_hiddens: (T, B, H), the loss's gradient at every hidden state; d_h, d_c: (B, H), at the final states
    on top of that; cache: from `lstm_forward`.
    """
    x, hiddens, cells, gates, shown, weight_ih, weight_hh = cache
    n_hidden = d_h.shape[1]
    d_z = np.empty_like(gates)  # (T, B, 4H)
    # four views each, (T, B, H), in the order of the gates
    i, f, g, o = gates.reshape(len(x), -1, 4, n_hidden).transpose(2, 0, 1, 3)
    d_i, d_f, d_g, d_o = d_z.reshape(len(x), -1, 4, n_hidden).transpose(2, 0, 1, 3)
    for t in reversed(range(len(x))):
        d_h = d_h + d_hiddens[t]
        d_c = d_c + d_h * o[t] * (1 - shown[t] * shown[t])
        slope = 1 - gates[t]
        slope *= gates[t]
        slope[:, 2 * n_hidden : 3 * n_hidden] = 1 - g[t] * g[t]
        np.multiply(d_c, g[t], out=d_i[t])
        np.multiply(d_c, cells[t], out=d_f[t])
        np.multiply(d_c, i[t], out=d_g[t])
        np.multiply(d_h, shown[t], out=d_o[t])
        d_z[t] *= slope
        d_h = d_z[t] @ weight_hh  # (B, 4H) @ (4H, H) -> (B, H)
        d_c = d_c * f[t]
    flat = d_z.reshape(-1, 4 * n_hidden)  # (T, B, 4H) -> (T * B, 4H)
    d_x = (flat @ weight_ih).reshape(x.shape)  # (T * B, 4H) @ (4H, D) -> (T, B, D)
    d_weight_ih = flat.T @ x.reshape(-1, x.shape[-1])  # (4H, T * B) @ (T * B, D) -> (4H, D)
    d_weight_hh = flat.T @ hiddens[:-1].reshape(-1, n_hidden)  # (4H, T * B) @ (T * B, H) -> (4H, H)
    return d_x, d_h, d_c, d_weight_ih, d_weight_hh, flat.sum(axis=0)


# %% [markdown]
# Central differences examine every number: nudge it both ways, and see how a random mixture of all the
# outputs moves.

# %%
cotangents = rng.normal(size=hiddens.shape), rng.normal(size=c.shape), rng.normal(size=c.shape)


def mixture(*arguments):
    """A random weighted sum of all hidden states, the last h and the last c."""
    hiddens, (last_h, last_c), _ = lstm_forward(*arguments)
    outputs = hiddens, last_h, last_c
    return sum((output * cotangent).sum() for output, cotangent in zip(outputs, cotangents))


gradients = lstm_backward(*cotangents, cache)
largest = 0.0
for argument, gradient in zip((x, h, c, *parameters), gradients, strict=True):
    for index in np.ndindex(argument.shape):
        kept, sides = argument[index], []
        for nudged in (kept + 1e-5, kept - 1e-5):
            argument[index] = nudged
            sides.append(mixture(x, h, c, *parameters))
        argument[index] = kept
        largest = max(largest, abs((sides[0] - sides[1]) / 2e-5 - gradient[index]))
print(f"{sum(gradient.size for gradient in gradients)} gradients, largest difference {largest:.1e}")
assert largest < 1e-8

# %% [markdown]
# ## The same in PyTorch
#
# `nn.LSTM` stacks its gates in our order and keeps two biases, which it adds. We copy the weights, put
# our bias into the first and zero into the second, and compare outputs, final states and every gradient.

# %%
model = nn.LSTM(n_in, n_hidden, dtype=torch.float64)
with torch.no_grad():
    for theirs, ours in zip(model.parameters(), (*parameters, np.zeros_like(parameters[2]))):
        theirs.copy_(torch.from_numpy(ours))
torch_x, torch_h, torch_c = (torch.tensor(value, requires_grad=True) for value in (x, h, c))
start = torch_h[None], torch_c[None]  # (1, B, H) each
torch_hiddens, (torch_last_h, torch_last_c) = model(torch_x, start)  # (T, B, H), (1, B, H) twice
torch_outputs = torch_hiddens, torch_last_h[0], torch_last_c[0]
total = sum(
    (output * torch.from_numpy(cotangent)).sum() for output, cotangent in zip(torch_outputs, cotangents)
)
wanted = torch_x, torch_h, torch_c, model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0
torch_gradients = torch.autograd.grad(total, wanted)
largest = 0.0
for ours, theirs in zip(
    (hiddens, last_h, last_c, *gradients), (*torch_outputs, *torch_gradients), strict=True
):
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(ours - theirs).max())
print(f"largest difference {largest:.1e}")

# %% [markdown]
# ## The adding problem
#
# Hochreiter and Schmidhuber's test, in the form of Arjovsky and colleagues, and our phone call: sixty
# random numbers, one marked in each half, and the answer is the sum of the two. Always answering 1, the
# mean, costs a squared error of $\frac16$. To do better, the network must carry a number, not a yes or no,
# over tens of steps.


# %%
def adding_problem(n_steps, batch_size, generator):
    """Sequences (T, B, 2) of numbers in [0, 1) and marks, one mark in each half, and the sums (B,)."""
    numbers = torch.rand(n_steps, batch_size, generator=generator)
    marks = torch.zeros(n_steps, batch_size)
    for start, stop in ((0, n_steps // 2), (n_steps // 2, n_steps)):
        marks[torch.randint(start, stop, (batch_size,), generator=generator), torch.arange(batch_size)] = 1
    return torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(dim=0)


x, y = adding_problem(60, 5, torch.Generator().manual_seed(0))
for k, value in enumerate(y):
    first, second = x[:, k, 1].nonzero().flatten()  # (2,): the marked steps
    print(f"marks at steps {first:2d} and {second:2d}, sum {value:.3f}")
print(f"always answering 1 costs {1 / 6:.3f}")

# %% [markdown]
# The sums need a network with a readout: a linear layer on the last hidden state. Training clips the
# gradient (11.2) and stops when the mean loss of the last fifty batches is small.


# %%
class Reader(nn.Module):
    """A recurrent layer and one number read off its last hidden state: (T, B, D) -> (B,)."""

    def __init__(self, layer, n_in, n_hidden):
        super().__init__()
        self.layer = layer(n_in, n_hidden)
        self.readout = nn.Linear(n_hidden, 1)

    def forward(self, x):
        hiddens, _ = self.layer(x)  # (T, B, H)
        return self.readout(hiddens[-1]).squeeze(1)  # (B, H) -> (B, 1) -> (B,)


def train(model, task, loss_function, n_steps, learning_rate, good_enough, generator):
    """Fresh batches of task(generator) until the mean loss of 50 steps is below `good_enough`; the losses."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    while len(losses) < n_steps and not (len(losses) >= 50 and np.mean(losses[-50:]) < good_enough):
        x, y = task(generator)
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# The vanilla network gets two learning rates, the LSTM three seeds. A thousand unseen sequences judge
# them.


# %%
def sums(generator):
    return adding_problem(60, 50, generator)


runs = [("RNN", nn.RNN, 0.01, 0), ("RNN", nn.RNN, 0.001, 0)]
runs += [("LSTM", nn.LSTM, 0.01, seed) for seed in (0, 1, 2)]
curves, test_errors, test_batch = {}, {}, adding_problem(60, 1000, torch.Generator().manual_seed(99))
print(f"{'':20s}{'steps':>12s}{'test error':>12s}")
for name, layer, learning_rate, seed in runs:
    torch.manual_seed(seed)
    model = Reader(layer, 2, 32)
    name = f"{name}, rate {learning_rate}, seed {seed}"
    generator = torch.Generator().manual_seed(seed)
    curves[name] = train(model, sums, F.mse_loss, 1200, learning_rate, 0.005, generator)
    with torch.no_grad():
        test_errors[name] = F.mse_loss(model(test_batch[0]), test_batch[1]).item()
    print(f"{name:24s}{len(curves[name]):8d}{test_errors[name]:12.4f}")

for name, error in test_errors.items():
    assert error < 0.02 if name.startswith("LSTM") else error > 0.15

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, losses), style in zip(curves.items(), (":", "--", "-", "-.", "-")):
    smooth = np.convolve(losses, np.ones(20) / 20, mode="valid")
    ax.semilogy(np.arange(20, len(losses) + 1), smooth, style, label=name)
ax.axhline(1 / 6, color="0.7", linewidth=0.8, zorder=0)
ax.set(
    xlabel="step", ylabel="squared error, mean of 20 steps", title="The LSTM learns to add, the RNN answers 1"
)
ax.legend(fontsize=8, loc="lower left")
plt.show()

# %% [markdown]
# The LSTM's curve is a plateau and then a drop: for hundreds of steps nothing seems to happen, and where
# the drop comes is luck. That is the shape of learning something that pays only when all its parts are
# there.
#
# ## The gates as it reads
#
# What did it find? We run the last trained LSTM's weights through *our* forward pass, on sequences it has
# not seen, and look for the unit whose cell state, at the end, goes most with the answer.

# %%
with torch.no_grad():
    layer = model.layer
    weights = [weight.double().numpy() for weight in (layer.weight_ih_l0, layer.weight_hh_l0)]
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).double().numpy()
sequences, answers = (tensor.double().numpy() for tensor in test_batch)  # (60, 1000, 2), (1000,)
zeros = np.zeros((sequences.shape[1], 32))
_, (_, last_c), (_, _, cells, gates, *_) = lstm_forward(sequences, zeros, zeros, *weights, bias)
input_gate, forget_gate, candidate, _ = np.split(gates, 4, axis=2)  # (60, 1000, 32) each
correlations = [np.corrcoef(unit, answers)[0, 1] for unit in last_c.T]  # one a unit
adder = int(np.argmax(np.abs(correlations)))
belt = cells[1:, :, adder]  # (60, 1000): the cell state of that unit after every step
marked_steps = sequences[:, :, 1] == 1  # (60, 1000)
jumps = np.abs(np.diff(cells[:, :, adder], axis=0))  # (60, 1000)
on_mark, elsewhere = jumps[marked_steps].mean(), jumps[~marked_steps].mean()
kept = forget_gate[:, :, adder].mean()
print(f"unit {adder}: correlation with the sum {correlations[adder]:.3f}, mean forget gate {kept:.3f}")
print(f"its belt moves by {on_mark:.3f} at a mark and by {elsewhere:.3f} elsewhere")
assert abs(correlations[adder]) > 0.9 and kept > 0.9
assert on_mark > 5 * elsewhere

# %% [markdown]
# The network has built our pad, in its own notation: one unit keeps its forget gate open and writes at
# the marks. Between them its belt drifts, as the right panel shows, at much the same rate whatever
# arrives. Every sequence here has the same length, so the drift is the same for all, and nothing ever
# punished it.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
written = (input_gate * candidate)[:, 0, adder]  # (60,)
left.plot(forget_gate[:, 0, adder], label="forget gate f")
left.plot(input_gate[:, 0, adder], "--", label="input gate i")
left.plot(written, "-.", label="written, i g")
for step in np.flatnonzero(marked_steps[:, 0]):
    left.axvline(step, color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="step", ylabel="value", title=f"Unit {adder} writes at the marks (grey lines)")
left.legend(fontsize=8)
for k, style in zip(range(3), ("-", "--", "-.")):
    right.plot(belt[:, k], style, label=f"sum {answers[k]:.2f}")
    steps = np.flatnonzero(marked_steps[:, k])
    right.plot(steps, belt[steps, k], "o", color=f"C{k}", markerfacecolor="none")
right.set(xlabel="step", ylabel="cell state", title="Its belt jumps at the marks (circles)")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## How open must the gate rest?
#
# Now the lag of forty from the belt's table: one number, $+1$ or $-1$, then forty steps of faint noise,
# then the question: which was it? Only the forget gate's bias differs between the runs.


# %%
def recall(generator, lag=40, batch_size=50):
    """Sequences (lag + 1, B, 1): a sign, then noise, and which sign it was (B,), 1 for plus."""
    x = 0.3 * torch.randn(lag + 1, batch_size, 1, generator=generator)
    y = torch.randint(0, 2, (batch_size,), generator=generator).float()
    x[0, :, 0] = 2 * y - 1
    return x, y


recall_steps = {}
for forget_bias in (1.0, 5.0):
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        model = Reader(nn.LSTM, 1, 32)
        with torch.no_grad():
            model.layer.bias_ih_l0[32:64] = forget_bias  # the second of the four blocks
            model.layer.bias_hh_l0[32:64] = 0.0
        generator = torch.Generator().manual_seed(seed)
        losses = train(model, recall, F.binary_cross_entropy_with_logits, 300, 0.01, 0.1, generator)
        recall_steps[forget_bias, seed] = len(losses)
        loss = np.mean(losses[-50:])
        print(f"forget bias {forget_bias:g}, seed {seed}: {len(losses):3d} steps, loss {loss:.3f} nats")
        assert (len(losses) < 150) == (forget_bias == 5.0)

# %% [markdown]
# A bias of one is the common advice, and it is not enough here: at rest so little of the gradient comes
# through forty steps that learning does not take off in time. At five most of it does. So an LSTM does
# not remember by nature. It *can* keep its gate open, and you must start it where that can be found: a
# bias about as large as the logarithm of the lag or more.

# %%
needed = np.log(40)
for forget_bias in (1.0, needed, 5.0):
    share = sigmoid(forget_bias) ** 40
    print(f"forget bias {forget_bias:.2f}: {share:.2g} of the gradient left after 40 steps")
assert 0.3 < sigmoid(needed) ** 40 < 0.4  # about 1/e, whatever the lag

# %% [markdown]
# ## What to remember
#
# - The cell state is carried, not rewritten: $c_t = f \odot c_{t-1} + i \odot g$, and its gradient along
#   the belt is the product of the forget gates.
# - Input gate: what is written. Forget gate: what is kept. Output gate: what is shown.
# - One product of width $4H$ a step, the inputs' products before the loop, the weights' gradients after
#   it.
# - The forget bias decides how far the network can see when training starts.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Give the recall task forget biases of 3 and 3.7, and take out the assert, by which only 5 may learn in
#    time. Is the logarithm of the lag enough?
# 2. Give the adding problem 120 steps. Does the plateau get longer, or does the drop never come?
# 3. Leave out the output gate ($h = \tanh c$) in `lstm_step`. What would its gradient lose?
#
# ## Sources
#
# - S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997, sections 3, 4 and
#   5.4 (the adding problem).
# - F. Gers, J. Schmidhuber, F. Cummins, "Learning to forget: continual prediction with LSTM", Neural
#   Computation 12, 2000.
# - M. Arjovsky, A. Shah, Y. Bengio, "Unitary evolution recurrent neural networks", ICML 2016: the adding
#   problem with numbers from 0 to 1.
# - R. Jozefowicz, W. Zaremba, I. Sutskever, "An empirical exploration of recurrent network
#   architectures", ICML 2015: the forget bias.
