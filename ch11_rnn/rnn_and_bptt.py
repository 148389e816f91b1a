# %% [markdown]
# # 11.2 The RNN and backpropagation through time: a gradient for a loop
#
# Cover a name and uncover it letter by letter. After "eliz" you expect an "a", because you keep a summary
# of the letters so far and update it with each new one. A network that does this is a *recurrent neural
# network*, RNN: the cell of lesson 11.1, applied once for each letter. If its guess is wrong, which of the
# earlier steps should have been different, and how do gradients get there through the loop?
#
# Until about 2017 recurrent networks were the usual choice for text, speech and time series, and the
# gradient of a loop is needed wherever a program repeats a step that it has learned.
#
# **You will build** an RNN in NumPy with its gradients by hand, check them against PyTorch, train a model
# that guesses the next letter of a name, and train on sequences in chunks. **You need** the recurrent cell
# and padding (11.1), backpropagation by hand (6.4), Adam (7.2) and clipping by norm (7.5).

# %%
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
# Take one unit without tanh, $h_t = w\,h_{t-1} + x_t$, with $w = 2$, the inputs $1, 1, 0$ and $h_0 = 0$.
# As the loss we take the last state, $L = h_3$. The weight is used at each step, and each use has an
# effect on the loss. The gradient of such a weight is a sum over its uses (6.1). The use at step $t$ adds
# the gradient of the state $h_t$ that was computed with it, times the state $h_{t-1}$ that it multiplied.
#
# $$\begin{aligned}
#   \text{forward:} \quad & h_1 = 2 \cdot 0 + 1 = 1, \quad h_2 = 2 \cdot 1 + 1 = 3, \quad
#     h_3 = 2 \cdot 3 + 0 = 6 \\
#   \text{backward:} \quad & \frac{\partial L}{\partial h_3} = 1, \quad
#     \frac{\partial L}{\partial h_2} = w = 2, \quad \frac{\partial L}{\partial h_1} = w^2 = 4 \\
#   \text{weight:} \quad & \frac{\partial L}{\partial w} = \sum_t \frac{\partial L}{\partial h_t}\, h_{t-1}
#     = 4 \cdot 0 + 2 \cdot 1 + 1 \cdot 3 = 5
# \end{aligned}$$

# %%
paper_inputs = [1.0, 1.0, 0.0]


def last_state(w):
    """h_3 of the linear unit with the weight w, from h_0 = 0."""
    h = 0.0
    for x in paper_inputs:
        h = w * h + x
    return h


slope = (last_state(2 + 1e-6) - last_state(2 - 1e-6)) / 2e-6
print(f"last state {last_state(2.0)}, measured slope {slope:.6f}")
assert abs(slope - 5) < 1e-8

# %% [markdown]
# A loop that is drawn step by step, or *unrolled*, is a feed-forward network in which each step is a layer
# and all layers have the same weight. So backpropagation needs nothing new. Gradients go back along the
# arrows, and each use of the weight adds its share.

# %%
paper_states = [1, 3, 6]
paper_grads = [4, 2, 1]
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "0.4"}
forward_arrow = {"arrowstyle": "-|>", "color": "C0"}
backward_arrow = {"arrowstyle": "-|>", "color": "C1", "linestyle": "--"}
for t in range(3):
    ax.text(2 * t, 0, f"$x_{t + 1}$ = {paper_inputs[t]:.0f}", ha="center", va="center", bbox=box)
    ax.text(2 * t, 1, f"$h_{t + 1}$ = {paper_states[t]}", ha="center", va="center", bbox=box)
    ax.annotate("", (2 * t, 0.8), (2 * t, 0.2), arrowprops=forward_arrow)
    ax.text(2 * t, 1.8, rf"$\partial L/\partial h_{t + 1}$ = {paper_grads[t]}", ha="center", color="C1")
    if t < 2:
        ax.annotate("", (2 * t + 1.55, 1), (2 * t + 0.45, 1), arrowprops=forward_arrow)
        ax.text(2 * t + 1, 0.85, "times w", ha="center", va="top", color="C0")
        ax.annotate("", (2 * t + 0.55, 1.65), (2 * t + 1.45, 1.65), arrowprops=backward_arrow)
        share = paper_grads[t + 1] * paper_states[t]
        ax.text(2 * t + 1, 1.25, rf"adds {share} to $\partial L/\partial w$", ha="center", color="C1")
ax.set(xlim=(-0.7, 4.7), ylim=(-0.3, 2.1), title="The unrolled loop with its states and gradients")
ax.axis("off")
plt.show()

# %% [markdown]
# Read the blue arrows from left to right and the dashed ones from right to left. The first step's share is
# missing in the drawing because the weight multiplied $h_0 = 0$ there.
#
# ## Forward
#
# A real RNN has a vector as its state, so the weights are matrices, and tanh keeps the state within
# bounds. We write the parameters as PyTorch does, with a bias for each of the two products, although one
# would be enough:
#
# $$h_t = \tanh(W_{ih}\, x_t + b_{ih} + W_{hh}\, h_{t-1} + b_{hh}) .$$
#
# With $B$ sequences of $T$ steps and $C$ numbers for each step, the inputs have the shape $(B, T, C)$, and
# the states of $H$ hidden units have the shape $(B, T, H)$. PyTorch draws all weights evenly between
# $\pm 1/\sqrt{H}$.


# %%
def initial_parameters(n_in, n_hidden, n_out, rng):
    """An RNN and a linear layer that reads its states; uniform within ±1/sqrt(n_hidden), float64."""
    bound = 1 / np.sqrt(n_hidden)
    shapes = {
        "W_ih": (n_hidden, n_in),
        "W_hh": (n_hidden, n_hidden),
        "b_ih": (n_hidden,),
        "b_hh": (n_hidden,),
        "W_out": (n_out, n_hidden),
        "b_out": (n_out,),
    }
    return {name: rng.uniform(-bound, bound, size=shape) for name, shape in shapes.items()}


def rnn_forward(x, p, h0=None):
    """Outputs (B, T, H), the last state (B, H) and what backward needs.

    x: (B, T, C); p: W_ih (H, C), W_hh (H, H), b_ih and b_hh (H,), other names are not used; h0: (B, H), zeros
    if left out. The cache refers to x, p and h0. Raises ValueError if the shapes do not fit, or for no steps.
    """
    n_hidden, n_in = p["W_ih"].shape
    if h0 is None:
        h0 = np.zeros((len(x), n_hidden), dtype=p["W_hh"].dtype)
    if x.ndim != 3 or x.shape[1] == 0 or x.shape[2] != n_in or h0.shape != (len(x), n_hidden):
        raise ValueError(f"x has shape {x.shape} and h0 {h0.shape}, but W_ih {p['W_ih'].shape}")
    states = [h0]
    for t in range(x.shape[1]):
        from_input = x[:, t] @ p["W_ih"].T + p["b_ih"]  # (B, C) @ (C, H) -> (B, H)
        from_state = states[-1] @ p["W_hh"].T + p["b_hh"]  # (B, H) @ (H, H) -> (B, H)
        states.append(np.tanh(from_input + from_state))
    return np.stack(states[1:], axis=1), states[-1], (x, states, p)  # T of (B, H) -> (B, T, H)


# %% [markdown]
# ## Backward
#
# A state has two effects on the loss: what is read from it at its own step, and the next state. Its
# gradient is the sum of both. It goes back through tanh, whose slope is $1 - h_t^2$, which gives the
# gradient of the sum $z_t$ inside of tanh. From there it goes to the weights and on to the step before:
#
# $$\begin{aligned}
#   \frac{\partial L}{\partial z_t} &= \left(\text{read}_t + W_{hh}^\top \frac{\partial L}{\partial
#     z_{t+1}}\right) \odot (1 - h_t^2) \\
#   \frac{\partial L}{\partial W_{hh}} &= \sum_t \frac{\partial L}{\partial z_t}\, h_{t-1}^\top, \qquad
#   \frac{\partial L}{\partial W_{ih}} = \sum_t \frac{\partial L}{\partial z_t}\, x_t^\top
# \end{aligned}$$
#
# Here $\text{read}_t$ is the gradient from what is read at step $t$, and the circle multiplies element by
# element. This walk from the last step to the first is called *backpropagation through time*, BPTT.


# %%
def rnn_backward(grad_outputs, cache):
    """Gradients for x, for the four parameters (a dictionary) and for h0, from grad_outputs (B, T, H)."""
    x, states, p = cache
    dtype = states[-1].dtype
    grads = {name: np.zeros(p[name].shape, dtype) for name in ("W_ih", "W_hh", "b_ih", "b_hh")}
    grad_x = np.zeros(x.shape, dtype)
    grad_state = np.zeros(states[-1].shape, dtype)  # (B, H): the part that comes from the next step
    for t in reversed(range(x.shape[1])):
        grad_h = grad_outputs[:, t] + grad_state
        grad_z = grad_h * (1 - states[t + 1] ** 2)  # states[t + 1] is what step t made
        grads["W_ih"] += grad_z.T @ x[:, t]  # (H, B) @ (B, C) -> (H, C)
        grads["W_hh"] += grad_z.T @ states[t]  # (H, B) @ (B, H) -> (H, H)
        grads["b_ih"] += grad_z.sum(axis=0)
        grads["b_hh"] += grad_z.sum(axis=0)
        grad_x[:, t] = grad_z @ p["W_ih"]  # (B, H) @ (H, C) -> (B, C)
        grad_state = grad_z @ p["W_hh"]  # (B, H) @ (H, H) -> (B, H)
    return grad_x, grads, grad_state


# %% [markdown]
# ## The same in PyTorch
#
# `nn.RNN` has the same four parameters, with the ending `_l0` for the first layer. We copy the weights,
# start both from the same random state, and compare the outputs and the gradients of
# $\sum \text{outputs} \odot \text{weights}$ for random weights.


# %%
def copied_rnn(p):
    """An nn.RNN in float64 with the parameters p."""
    n_hidden, n_in = p["W_ih"].shape
    layer = nn.RNN(n_in, n_hidden, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(p["W_ih"]))
        layer.weight_hh_l0.copy_(torch.from_numpy(p["W_hh"]))
        layer.bias_ih_l0.copy_(torch.from_numpy(p["b_ih"]))
        layer.bias_hh_l0.copy_(torch.from_numpy(p["b_hh"]))
    return layer


check_p = initial_parameters(n_in=2, n_hidden=4, n_out=3, rng=rng)
check_x = rng.normal(size=(3, 5, 2))  # (B, T, C)
check_h0 = rng.normal(size=(3, 4))  # (B, H)
grad_outputs = rng.normal(size=(3, 5, 4))  # (B, T, H)
outputs, last, cache = rnn_forward(check_x, check_p, check_h0)
grad_x, grads, grad_h0 = rnn_backward(grad_outputs, cache)

layer = copied_rnn(check_p)
torch_x = torch.tensor(check_x, requires_grad=True)
torch_h0 = torch.tensor(check_h0[None], requires_grad=True)  # (1, B, H): one for each layer
torch_outputs, torch_last = layer(torch_x, torch_h0)
(torch_outputs * torch.from_numpy(grad_outputs)).sum().backward()
pairs = {
    "outputs": (outputs, torch_outputs.detach()),
    "last state": (last, torch_last[0].detach()),
    "grad x": (grad_x, torch_x.grad),
    "grad h0": (grad_h0, torch_h0.grad[0]),
    "grad W_ih": (grads["W_ih"], layer.weight_ih_l0.grad),
    "grad W_hh": (grads["W_hh"], layer.weight_hh_l0.grad),
    "grad b_ih": (grads["b_ih"], layer.bias_ih_l0.grad),
    "grad b_hh": (grads["b_hh"], layer.bias_hh_l0.grad),
}
for name, (ours, theirs) in pairs.items():
    print(f"{name:20s}{np.abs(ours - theirs.numpy()).max():12.1e}")
for ours, theirs in pairs.values():
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12)

# %% [markdown]
# All differences are rounding.
#
# ## A model of names
#
# A dot stands before and after each name. The network reads the dot and the letters, and at each step it
# gives a logit for each letter that may follow. Short names of a batch are padded, and each place gets a
# weight in the loss, which is zero at the padding and the same everywhere else. (A list of your own may
# have only the letters a to z; for others, add them to `letters` and their number to the 27.)

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
names = [names[i] for i in rng.permutation(len(names))]  # the list is sorted
n_train = len(names) * 9 // 10
if n_train == 0:
    raise ValueError(f"{len(names)} names are too few to train on nine tenths of them")
letters = ".abcdefghijklmnopqrstuvwxyz"


def batch_of(names):
    """One-hot letters (B, T, 27), the letters that follow (B, T), and weights (B, T) with the sum 1.

    Raises ValueError for a name with other characters than a to z, or no name.
    """
    unknown = set("".join(names)) - set(letters[1:])
    if not names or unknown:
        raise ValueError(
            f"{len(names)} names with {sorted(unknown)}: there must be some, of the letters a to z"
        )
    codes = np.zeros((len(names), 1 + max(map(len, names))), dtype=np.int64)
    targets = np.zeros_like(codes)
    weights = np.zeros(codes.shape)
    for i, name in enumerate(names):
        numbers = [letters.index(letter) for letter in name]
        codes[i, 1 : len(name) + 1] = numbers
        targets[i, : len(name)] = numbers
        weights[i, : len(name) + 1] = 1
    return np.eye(27)[codes], targets, weights / weights.sum()


def loss_and_gradients(p, x, targets, weights):
    """Cross-entropy (nats), weighted by weights (B, T), and the gradients of all parameters by name."""
    outputs, _, cache = rnn_forward(x, p)  # (B, T, H)
    logits = outputs @ p["W_out"].T + p["b_out"]  # (B, T, H) @ (H, V) -> (B, T, V)
    logits = logits - logits.max(axis=2, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    one_hot = np.eye(logits.shape[2])[targets]  # (B, T, V)
    loss = -(weights * (log_probs * one_hot).sum(axis=2)).sum()

    grad_logits = weights[:, :, None] * (np.exp(log_probs) - one_hot)  # (B, T, V): 6.4's formula
    grad_outputs = grad_logits @ p["W_out"]  # (B, T, V) @ (V, H) -> (B, T, H)
    _, grads, _ = rnn_backward(grad_outputs, cache)
    grads["W_out"] = np.tensordot(grad_logits, outputs, axes=((0, 1), (0, 1)))  # (V, H): sum over B and T
    grads["b_out"] = grad_logits.sum(axis=(0, 1))
    return loss, grads


x, targets, weights = batch_of(["al", "eve"])
print("letters that follow:", ["".join(letters[i] for i in row) for row in targets])
print("counted:", (weights > 0).astype(int).tolist())

# %% [markdown]
# In a loop the gradient is a product over the steps and can become very large, so training clips its
# norm (7.5). Adam is the one of 7.2.


# %%
def clip(grads, max_norm):
    """Scale all gradients in place so that their joint norm is at most max_norm; returns the norm before."""
    norm = np.sqrt(sum((grad * grad).sum() for grad in grads.values()))
    factor = min(1.0, max_norm / (norm + 1e-6))  # PyTorch's small number, for an equal result
    for grad in grads.values():
        grad *= factor
    return norm


def adam_step(p, grads, state, step, learning_rate):
    """One step of Adam (7.2), in place; state: a dictionary, empty at first; step: counted from 1.

    Raises ValueError for a step below 1.
    """
    if step < 1:
        raise ValueError(f"steps are counted from 1, got {step}")
    for name, grad in grads.items():
        mean, squares = state.get(name, (0.0, 0.0))
        mean = 0.9 * mean + 0.1 * grad
        squares = 0.999 * squares + 0.001 * grad * grad
        state[name] = (mean, squares)
        corrected = np.sqrt(squares / (1 - 0.999**step))
        p[name] -= learning_rate * mean / (1 - 0.9**step) / (corrected + 1e-8)


# %% [markdown]
# The control is a table of how often each letter follows each other letter in the training names, with one
# added to every count. It remembers exactly one letter. The RNN has 64 hidden units and could remember
# more. If it does, its loss on names that it has not seen should be lower than the table's. It is trained
# for 1,500 steps, with a learning rate that falls to zero in a straight line (7.3).

# %%
N_STEPS = 1500
BATCH_SIZE = 64
LEARNING_RATE = 0.005
MAX_NORM = 0.5
p = initial_parameters(27, 64, 27, rng)
first_p = {name: array.copy() for name, array in p.items()}
batches = rng.integers(n_train, size=(N_STEPS, BATCH_SIZE))  # which names each step sees
held_out = batch_of(names[n_train:])
losses = []
test_losses = {}
adam_state = {}
for step in range(1, N_STEPS + 1):
    loss, grads = loss_and_gradients(p, *batch_of([names[i] for i in batches[step - 1]]))
    clip(grads, MAX_NORM)
    adam_step(p, grads, adam_state, step, LEARNING_RATE * (1 - step / (N_STEPS + 1)))
    losses.append(loss)
    if step % 300 == 0:
        test_losses[step], _ = loss_and_gradients(p, *held_out)
        print(f"step {step:4d}   loss {np.mean(losses[-100:]):.4f}   held out {test_losses[step]:.4f}")

counts = np.ones((27, 27))  # [letter, next letter]
train_x, train_targets, train_weights = batch_of(names[:n_train])
real = train_weights > 0  # (B, T)
pairs_seen = (train_x.argmax(axis=2)[real], train_targets[real])  # letters, and those that follow them
np.add.at(counts, pairs_seen, 1)  # counts[pairs_seen] += 1 would count each pair only once
log_table = np.log(counts / counts.sum(axis=1, keepdims=True))
held_out_x, held_out_targets, held_out_weights = held_out
table_loss = -(held_out_weights * log_table[held_out_x.argmax(axis=2), held_out_targets]).sum()
print(f"the table's loss on held-out names: {table_loss:.4f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
smooth = np.convolve(losses, np.ones(50) / 50, mode="valid")
ax.plot(np.arange(50, N_STEPS + 1), smooth, label="training, mean of 50 steps")
ax.plot(list(test_losses), list(test_losses.values()), "o--", label="held out")
ax.axhline(table_loss, color="0.7", linewidth=0.8, zorder=0, label="table of letter pairs, held out")
ax.set(xlabel="step", ylabel="loss (nats per letter)", title="An RNN and a table on names (one seed)")
ax.legend()
plt.show()

# %% [markdown]
# The held-out loss falls well below the table's, so the network uses more than one letter of the past, and
# the training loss is only a little lower. With three other splits and starts the gap was as large.
#
# ## Long sequences in chunks
#
# A book is one sequence of a million letters. To go back through all of it, one would have to keep a
# million states, and each reading of the book would give a single update of the weights. So in practice
# one reads a *chunk* of the text, goes back through this chunk alone, updates the weights, and reads the
# next chunk from the last state. The state is carried on as plain numbers, cut off from the steps that
# made it by `detach()` (4.2). This is *truncated BPTT*.
#
# So the network still _knows_ what it has read before the chunk. But can it still _learn_ to remember? In
# our test the first of nine symbols is one of four signs, the others mean nothing, and after the last
# symbol the network must name the sign. We train with chunks of nine, which is the whole sequence, and of
# four, so that the last chunk holds only the last symbol.


# %%
def recall(chunk, seed, n_steps=300, n_symbols=9, batch_size=32):
    """Learn to name the first symbol after the last one, in chunks.

    Returns the loss of each step and how far the weights that read the four signs have moved. Raises
    ValueError for chunks without a step.
    """
    if chunk < 1:
        raise ValueError(f"a chunk needs at least one step, got {chunk}")
    torch.manual_seed(seed)
    layer = nn.RNN(8, 16, batch_first=True)
    readout = nn.Linear(16, 4)
    parameters = [*layer.parameters(), *readout.parameters()]
    drawn_weights = layer.weight_ih_l0.detach().clone()  # (H, 8)
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    losses = []
    for _ in range(n_steps):
        symbols = torch.randint(4, 8, (batch_size, n_symbols))
        symbols[:, 0] -= 4  # the sign
        x = F.one_hot(symbols, 8).float()  # (B, T) -> (B, T, 8)
        state = None
        for start in range(0, n_symbols, chunk):
            outputs, state = layer(x[:, start : start + chunk], state)
            state = state.detach()
            if start + chunk >= n_symbols:  # only the last chunk has a loss in this task
                loss = F.cross_entropy(readout(outputs[:, -1]), symbols[:, 0])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
        losses.append(loss.item())
    moved = (layer.weight_ih_l0.detach() - drawn_weights)[:, :4].abs().max()
    return np.array(losses), moved.item()


# %% [markdown]
# Four seeds for each chunk length:

# %%
CHUNKS = (4, 9)
recall_runs = {chunk: [recall(chunk, seed) for seed in range(4)] for chunk in CHUNKS}
print(f"{'chunk':8s}{'weights moved by':>18s}   loss at the end, four seeds")
for chunk, runs in recall_runs.items():
    ends = "".join(f"{losses[-50:].mean():8.3f}" for losses, _ in runs)
    print(f"{chunk:<8d}{max(moved for _, moved in runs):18.3f}   {ends}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (chunk, runs), style in zip(recall_runs.items(), ("C0-", "C1:")):
    for seed, (curve, _) in enumerate(runs):
        label = f"chunks of {chunk}" if seed == 0 else None
        ax.plot(np.convolve(curve, np.ones(10) / 10, "valid"), style, label=label)
ax.axhline(np.log(4), color="0.7", linewidth=0.8, zorder=0, label="guessing among four")
ax.set(
    xlabel="step", ylabel="loss (nats), mean of 10 steps", title="Name the first of nine symbols, four seeds"
)
ax.legend(loc=(0.5, 0.12))
plt.show()

# %% [markdown]
# With the whole sequence, three of the four seeds soon make no more mistakes, and the fourth tells only
# two pairs of signs apart, not the members of each pair, for which the loss is $\ln 2 \approx 0.69$. With
# chunks of four no seed gets rid of its mistakes: the curves wander between guessing and that level. (Of
# four more seeds, again three learned it with the whole sequence and none with chunks of four, although
# two of the latter fell below 0.5.) Where the loss falls below that of guessing, a trace of the sign must
# have come through the random weights to the end, and the last chunk has learned to read it. But the
# weights that read the signs have not moved at all, because no gradient ever reaches the step that used
# them.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert test_losses[N_STEPS] < table_loss - 0.15, "the RNN is well below a table of letter pairs"
assert test_losses[N_STEPS] < np.mean(losses[-100:]) + 0.1, "the training loss is only a little lower"
for _, moved in recall_runs[4]:
    assert moved == 0, "with short chunks the weights that read the sign never move"
for _, moved in recall_runs[9]:
    assert moved > 0.1, "with the whole sequence they move"
ends = {chunk: np.array([curve[-50:].mean() for curve, _ in runs]) for chunk, runs in recall_runs.items()}
assert np.sum(ends[9] < 0.05) >= 3, "with the whole sequence most seeds learn the sign"
assert ends[4].min() > 0.6, "with short chunks at least half of the loss stays with every seed"

# %% [markdown]
# ## Going further
#
# The model of names can write, which 11.6 takes up. The other additions are needed by no later lesson.
#
# ### Names that nobody has
#
# To invent names, the model starts with the dot, and each letter that it draws becomes the next input. Its
# probabilities are the softmax of the logits.


# %%
def sample(p, n, rng, longest=20):
    """n names as strings, cut off after `longest` letters."""
    state = None
    codes = np.zeros(n, dtype=np.int64)
    columns = []
    for _ in range(longest):
        _, state, _ = rnn_forward(np.eye(27)[codes][:, None], p, state)  # (n, 1, 27) -> (n, H)
        logits = state @ p["W_out"].T + p["b_out"]  # (n, H) @ (H, 27) -> (n, 27)
        probs = np.exp(logits - logits.max(axis=1, keepdims=True))
        cumulative = probs.cumsum(axis=1) / probs.sum(axis=1, keepdims=True)  # (n, 27), the last is 1
        below = rng.random((n, 1)) > cumulative  # (n, 27): True up to the letter that is drawn
        codes = below.sum(axis=1).clip(max=26)  # (n,): how many are True is the letter's number
        columns.append(codes)
    return ["".join(letters[i] for i in row).split(".")[0] for row in np.stack(columns, axis=1)]


drawn = sample(p, 1000, rng)
known = set(names) | {""}
new_names = [name for name in drawn if name not in known]
print("untrained:", ", ".join(sample(first_p, 5, rng)))
print("trained:  ", ", ".join(dict.fromkeys(new_names[:12])))
print(f"not in the list: {len(new_names)} of {len(drawn)}")

# %% [markdown]
# Untrained, the model draws letters at random, and trained, most of what it draws is not in the list but
# can be pronounced.
#
# ### The same training in PyTorch
#
# Was our training the same as PyTorch's? We repeat the first 200 steps with `nn.RNN`, `clip_grad_norm_`
# and `torch.optim.Adam`, from the same weights with the same batches.

# %%
layer = copied_rnn(first_p)
readout = nn.Linear(64, 27, dtype=torch.float64)
with torch.no_grad():
    readout.weight.copy_(torch.from_numpy(first_p["W_out"]))
    readout.bias.copy_(torch.from_numpy(first_p["b_out"]))
torch_parameters = [*layer.parameters(), *readout.parameters()]
optimizer = torch.optim.Adam(torch_parameters)
torch_losses = []
n_clipped = 0
for step in range(1, 201):
    x, targets, weights = batch_of([names[i] for i in batches[step - 1]])
    targets = torch.from_numpy(np.where(weights > 0, targets, -1))  # (B, T)
    outputs, _ = layer(torch.from_numpy(x))  # (B, T, 27) -> (B, T, H)
    logits = readout(outputs)  # (B, T, H) @ (H, 27) -> (B, T, 27)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(torch_parameters, MAX_NORM).item()  # the norm before clipping
    if norm > MAX_NORM:
        n_clipped += 1
    optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / (N_STEPS + 1))
    optimizer.step()
    torch_losses.append(loss.item())
largest = np.abs(np.array(losses[:200]) - torch_losses).max()
print(f"largest difference of the losses over {len(torch_losses)} steps: {largest:.1e}")
print(f"clipped steps: {n_clipped}")
assert largest < 1e-9

# %% [markdown]
# The losses agree, and some of the steps were clipped, so our gradients, the clipping and Adam are all
# those of PyTorch.
#
# ### Four kinds of task
#
# The same layer serves tasks of very different shapes. What differs is where it gets an input and where
# its state is read, that is, at which steps `grad_outputs` is not zero.

# %%
KINDS = {  # steps with an input, and steps that are read
    "many to one": ("1111", "0001"),
    "many to many": ("1111", "1111"),
    "one to many": ("1000", "1111"),
    "read, then write": ("1100", "0011"),
}
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
plain_arrow = {"arrowstyle": "-|>", "color": "0.4", "shrinkA": 10, "shrinkB": 10}
fed_back = {**plain_arrow, "linestyle": "--", "color": "C1"}
for ax, (kind, (fed, read)) in zip(axes, KINDS.items()):
    for t in range(4):
        ax.text(t, 1, f"$h_{t + 1}$", ha="center", va="center", bbox=box)
        if t > 0:
            ax.annotate("", (t, 1), (t - 1, 1), arrowprops=plain_arrow)
        if fed[t] == "1":
            ax.text(t, 0, f"$x_{t + 1}$", ha="center", va="center", color="C0")
            ax.annotate("", (t, 1), (t, 0), arrowprops=plain_arrow)
        if read[t] == "1":
            ax.text(t, 2, f"$y_{t + 1}$", ha="center", va="center", color="C1")
            ax.annotate("", (t, 2), (t, 1), arrowprops=plain_arrow)
        if t > 0 and fed[t] == "0" and read[t - 1] == "1":
            ax.annotate("", (t, 1), (t - 1, 2), arrowprops=fed_back)
    ax.set(xlim=(-0.5, 3.5), ylim=(-0.3, 2.3), title=kind)
    ax.axis("off")
fig.suptitle("Where the layer is fed (below) and where it is read (above)")
plt.show()

# %% [markdown]
# _Many to one_ reads only the last state, for example to tell the language of a sentence. _Many to many_
# reads every state, as in tagging (11.7), or to guess the next letter at each step, as our model of names
# does. _One to many_ starts from one input and feeds each output back as the next input (dashed), which is
# how the same model writes. _Read, then write_ takes a whole sequence in and then writes another one, as in
# translation (12.1).
#
# ### What truncation changes
#
# The loss of a sequence is the same for any chunk, because the state is carried on, but the gradient is
# not: whatever passes a border is missing. How much is that for the trained model of names? We join
# held-out names to sequences of 64 letters and compare the gradient of $W_{hh}$ with the whole one.


# %%
def truncated_gradient(p, x, targets, weights, chunk):
    """The loss and the gradient of W_hh if gradients stay within pieces of `chunk` steps.

    Raises ValueError for chunks without a step.
    """
    if chunk < 1:
        raise ValueError(f"a chunk needs at least one step, got {chunk}")
    total = 0.0
    grad_W_hh = np.zeros_like(p["W_hh"])
    state = None
    for start in range(0, x.shape[1], chunk):
        piece = np.s_[:, start : start + chunk]  # these columns; x[piece] is x[:, start : start + chunk]
        outputs, state, cache = rnn_forward(x[piece], p, state)
        logits = outputs @ p["W_out"].T + p["b_out"]  # (B, chunk, H) @ (H, V) -> (B, chunk, V)
        logits = logits - logits.max(axis=2, keepdims=True)
        log_probs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
        one_hot = np.eye(logits.shape[2])[targets[piece]]  # (B, chunk, V)
        total -= (weights[piece] * (log_probs * one_hot).sum(axis=2)).sum()
        grad_logits = weights[piece][:, :, None] * (np.exp(log_probs) - one_hot)
        _, grads, _ = rnn_backward(grad_logits @ p["W_out"], cache)  # (B, chunk, V) @ (V, H)
        grad_W_hh += grads["W_hh"]
    return total, grad_W_hh


stream = np.array([letters.index(letter) for letter in "." + ".".join(names[n_train:])])
n_rows = (len(stream) - 1) // 64
if n_rows == 0:
    raise ValueError(f"the held-out names have {len(stream)} letters, too few for a row of 64")
stream_x = np.eye(27)[stream[: 64 * n_rows].reshape(n_rows, 64)]  # (n_rows, 64, 27)
stream_targets = stream[1 : 64 * n_rows + 1].reshape(n_rows, 64)
even_weights = np.full(stream_targets.shape, 1 / stream_targets.size)
whole_loss, whole_gradient = truncated_gradient(p, stream_x, stream_targets, even_weights, 64)
relative_errors = {}
print(f"{'chunk':20s}{'error':>12s}   of the gradient of W_hh, relative to its norm")
for chunk in (1, 2, 4, 8, 16, 32):
    chunk_loss, gradient = truncated_gradient(p, stream_x, stream_targets, even_weights, chunk)
    np.testing.assert_allclose(chunk_loss, whole_loss, rtol=1e-10)
    relative_errors[chunk] = np.linalg.norm(gradient - whole_gradient) / np.linalg.norm(whole_gradient)
    print(f"{chunk:<20d}{relative_errors[chunk]:12.3f}")

# %% [markdown]
# The shorter the chunk, the larger the error, and since it is the same in each batch, it does not average
# out. It is a bias in the sense of 7.6. Chunks of 32 are enough for names of six letters.
#
# ### The same, faster
#
# Only the product with $W_{hh}$ has to wait for the step before. The product with $W_{ih}$ can be done for
# all steps at once, before the loop. On the way back the gradients of the weights are sums over steps and
# sequences, so each of them is one large product after the loop. Inside, time comes first, so that the
# numbers of one step lie side by side in memory. The price is that the formula is scattered over three
# places.


# %%
def rnn_forward_fast(x, p, h0=None):
    """As rnn_forward, but with one product for all inputs. The cache is for rnn_backward_fast."""
    n_hidden, n_in = p["W_ih"].shape
    if h0 is None:
        h0 = np.zeros((len(x), n_hidden), dtype=p["W_hh"].dtype)
    if x.ndim != 3 or x.shape[1] == 0 or x.shape[2] != n_in or h0.shape != (len(x), n_hidden):
        raise ValueError(f"x has shape {x.shape} and h0 {h0.shape}, but W_ih {p['W_ih'].shape}")
    steps = np.ascontiguousarray(x.swapaxes(0, 1))  # (B, T, C) -> (T, B, C)
    states = steps @ p["W_ih"].T + (p["b_ih"] + p["b_hh"])  # (T, B, C) @ (C, H) -> (T, B, H)
    recurrent = np.ascontiguousarray(p["W_hh"].T)  # (H, H)
    state = h0
    for row in states:  # each row is overwritten by its state
        row += state @ recurrent  # (B, H) @ (H, H) -> (B, H)
        state = np.tanh(row, out=row)
    return states.swapaxes(0, 1), state.copy(), (steps, h0, states, p)  # (T, B, H) -> (B, T, H)


def rnn_backward_fast(grad_outputs, cache):
    """As rnn_backward, with the cache of rnn_forward_fast."""
    steps, h0, states, p = cache
    n_in = steps.shape[2]
    n_hidden = states.shape[2]
    grad_z = grad_outputs.swapaxes(0, 1).astype(states.dtype, order="C")  # (T, B, H), a copy
    slopes = 1 - states * states
    grad_state = np.zeros(states.shape[1:], states.dtype)
    for t in reversed(range(len(states))):
        grad_z[t] += grad_state
        grad_z[t] *= slopes[t]
        grad_state = grad_z[t] @ p["W_hh"]  # (B, H) @ (H, H) -> (B, H)
    before = np.concatenate([h0[None], states[:-1]]).reshape(-1, n_hidden)  # (T · B, H)
    flat = grad_z.reshape(-1, n_hidden)  # (T, B, H) -> (T · B, H)
    grads = {
        "W_ih": flat.T @ steps.reshape(-1, n_in),  # (H, T · B) @ (T · B, C) -> (H, C)
        "W_hh": flat.T @ before,  # (H, T · B) @ (T · B, H) -> (H, H)
        "b_ih": flat.sum(axis=0),
        "b_hh": flat.sum(axis=0),
    }
    return (grad_z @ p["W_ih"]).swapaxes(0, 1), grads, grad_state  # (T, B, H) @ (H, C) -> (B, T, C)


# %% [markdown]
# Both forms must give the same outputs and gradients. The times are those of one batch of names.


# %%
def fastest(function, *arguments, n_runs=5):
    """The shortest of n_runs times of function(*arguments), in milliseconds."""
    times = []
    for _ in range(n_runs):
        started = time.perf_counter()
        function(*arguments)
        times.append(1000 * (time.perf_counter() - started))
    return min(times)


x, _, _ = batch_of(names[:BATCH_SIZE])
grad_outputs = rng.normal(size=(*x.shape[:2], 64))  # (B, T, H)
plain_outputs, _, plain_cache = rnn_forward(x, p)
fast_outputs, _, fast_cache = rnn_forward_fast(x, p)
np.testing.assert_allclose(fast_outputs, plain_outputs, rtol=1e-10, atol=1e-12)
plain_grad_x, plain_grads, plain_grad_h0 = rnn_backward(grad_outputs, plain_cache)
fast_grad_x, fast_grads, fast_grad_h0 = rnn_backward_fast(grad_outputs, fast_cache)
np.testing.assert_allclose(fast_grad_x, plain_grad_x, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(fast_grad_h0, plain_grad_h0, rtol=1e-10, atol=1e-12)
for name, grad in plain_grads.items():
    np.testing.assert_allclose(fast_grads[name], grad, rtol=1e-10, atol=1e-12)


def both_ways(forward, backward):
    """Forward and backward once, on the batch x."""
    _, _, cache = forward(x, p)
    backward(grad_outputs, cache)


for name, forward, backward in (
    ("plain", rnn_forward, rnn_backward),
    ("fast", rnn_forward_fast, rnn_backward_fast),
):
    print(f"{name:8s}forward and backward {fastest(both_ways, forward, backward):7.2f} ms")

# %% [markdown]
# For batches of names the gain is small. On the page of this chapter a larger layer is timed, for which
# the fast form saves more.

# %%
assert len(new_names) > 0.7 * len(drawn), "most drawn names are in no list"
errors = list(relative_errors.values())
assert errors == sorted(errors, reverse=True), "the shorter the chunk, the larger the error of the gradient"
assert errors[0] > 0.3, "chunks of one letter change the gradient by more than a third"
assert errors[-1] < 0.1, "chunks of 32 are enough for names"

# %% [markdown]
# ## What to remember
#
# - An unrolled loop is a deep network whose layers share their weights, so the gradient of a weight is the
#   sum over all of its uses.
# - Each state gets a gradient from what is read at its own step and from the next state. Computing both,
#   from the last step to the first, is BPTT.
# - The four kinds of task differ only in where the layer is fed and read.
# - Training in chunks carries the state on and detaches it. The network can use what lies before the
#   chunk, but it cannot learn to remember it.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Leave out `+ grad_state` in `rnn_backward`, so that the future no longer counts. Which lines of the
#    table that compares with PyTorch will still be right?
# 2. Let the chunks of `CHUNKS` be 8 and 9. The eight leaves only one symbol to the last chunk. Does its
#    line in the table look like that of 4 or like that of 9?
# 3. From a blank cell at the end: multiply, over the steps of one sequence, the matrices
#    $\text{diag}(1 - h_t^2)\, W_{hh}$ of the trained model, the latest step on the left. Compare the
#    first row of the product with the gradient of `h0` that `rnn_backward` gives if `grad_outputs` is
#    zero but for a one at the first unit of the last step.
#
# ## Sources
#
# - J. L. Elman, "Finding structure in time", _Cognitive Science_ 14, 1990: the network, and predicting the
#   next letter.
# - P. J. Werbos, "Backpropagation through time: what it does and how to do it", _Proceedings of the IEEE_
#   78, 1990. Reproduced: `test_rnn_matches_pytorch`.
# - R. J. Williams, J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent
#   network trajectories", _Neural Computation_ 2, 1990: truncation. Reproduced: "with short chunks the
#   weights that read the sign never move".
# - R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML
#   2013: clipping the norm.
