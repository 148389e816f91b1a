# %% [markdown]
# # 11.2 The RNN and backpropagation through time: blame that walks back along a sentence
#
# Read a name letter by letter with a hand over the rest, and you already guess what comes next: after
# "eliz" an "a" is likely. You keep a summary in your head and amend it with each letter. A recurrent
# network does that. When a guess is wrong, which of the letters before should have been remembered
# better?
#
# **You will build** a recurrent network in NumPy, its gradients by hand, and a model that invents names.
# **You need** the recurrent cell (11.1), backpropagation by hand (6.4) and Adam (7.2).

# %%
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
# One unit without tanh: $h_t = w\,h_{t-1} + x_t$. With $w = 2$ and inputs $1, 1, 0$ the states are
# $1, 3, 6$. Take $L = h_3$. The weight is used twice. Its last use multiplied $h_2 = 3$: a share of $3$.
# The use before multiplied $h_1 = 1$, and what it made was then doubled: a share of $2$. Together $5$.

# %%
w, inputs = 2.0, [1.0, 1.0, 0.0]


def last_state(w):
    """h_3 of the linear unit, from h_0 = 0."""
    h = 0.0
    for x in inputs:
        h = w * h + x
    return h


states = [1.0, 3.0, 6.0]
blame = [w * w, w, 1.0]  # dL/dh_1, dL/dh_2, dL/dh_3: one factor w for every step back
shares = [blame[1] * states[0], blame[2] * states[1]]  # of the two uses of w
slope = (last_state(w + 1e-6) - last_state(w - 1e-6)) / 2e-6
print(f"shares {shares}   their sum {sum(shares)}   slope by nudging w {slope:.6f}")
assert last_state(w) == states[-1]
np.testing.assert_allclose(sum(shares), slope, rtol=1e-8)

# %% [markdown]
# A loop drawn out step by step is a feed-forward network in which every layer has the same weight: the
# *unrolled* graph. The backward rule of lesson 6.1 needs nothing new for it. Blame walks back along the
# arrows, and a weight that is used often collects from each use.

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "0.4"}
for t in range(3):
    ax.text(2 * t, 0, f"$x_{t + 1}$ = {inputs[t]:.0f}", ha="center", va="center", bbox=box)
    ax.text(2 * t, 1, f"$h_{t + 1}$ = {states[t]:.0f}", ha="center", va="center", bbox=box)
    ax.annotate("", (2 * t, 0.8), (2 * t, 0.2), arrowprops={"arrowstyle": "-|>", "color": "C0"})
    ax.text(2 * t, 1.75, f"$dL/dh_{t + 1}$ = {blame[t]:.0f}", ha="center", color="C1")
for t in range(2):
    ends = (2 * t + 1.55, 1), (2 * t + 0.45, 1)
    ax.annotate("", *ends, arrowprops={"arrowstyle": "-|>", "color": "C0"})
    ax.text(2 * t + 1, 0.82, "× w", ha="center", va="top", color="C0")
    ends = (2 * t + 0.55, 1.6), (2 * t + 1.45, 1.6)
    ax.annotate("", *ends, arrowprops={"arrowstyle": "-|>", "color": "C1", "linestyle": "--"})
    ax.text(2 * t + 1, 1.25, f"share of $dL/dw$: {shares[t]:.0f}", ha="center", color="C1")
ax.set(
    xlim=(-0.7, 4.7), ylim=(-0.3, 2), title="One weight, two uses: each leaves a share, and the shares add up"
)
ax.axis("off")
plt.show()

# %% [markdown]
# ## Forward: one layer, used again and again
#
# The state is a vector now, with one more weight matrix for the input, and tanh keeps it within bounds:
#
# $$h_t = \tanh(W_{ih}\, x_t + W_{hh}\, h_{t-1} + b) .$$
#
# A linear layer on top turns each state into scores. The weights start between $\pm 1/\sqrt{H}$, as
# PyTorch draws them.


# %%
def initial_parameters(n_in, n_hidden, n_out, rng):
    """Uniform within ±1/sqrt(n_hidden), float64; weights are (n_out, n_in)."""
    shapes = {
        "weight_ih": (n_hidden, n_in),
        "weight_hh": (n_hidden, n_hidden),
        "bias": (n_hidden,),
        "weight_out": (n_out, n_hidden),
        "bias_out": (n_out,),
    }
    bound = 1 / np.sqrt(n_hidden)
    return {name: rng.uniform(-bound, bound, size=shape) for name, shape in shapes.items()}


def rnn_forward(p, x, state):
    """States after each step; x: (B, T, D), state before the first: (B, H) -> (B, T, H).

    Raises ValueError where x and state do not fit.
    """
    if x.ndim != 3 or state.shape != (len(x), len(p["bias"])):
        raise ValueError(f"x {x.shape} and state {state.shape} for {len(p['bias'])} hidden units")
    hidden = []
    for t in range(x.shape[1]):
        z = x[:, t] @ p["weight_ih"].T  # (B, D) @ (D, H) -> (B, H)
        z = z + state @ p["weight_hh"].T + p["bias"]  # (B, H) @ (H, H) -> (B, H)
        state = np.tanh(z)
        hidden.append(state)
    return np.stack(hidden, axis=1)  # T of (B, H) -> (B, T, H)


# %% [markdown]
# ## Backward: the same loop in reverse
#
# A state is blamed twice: by the scores read from it at its own step, whose loss is $L_t$, and by the
# next state, which was made from it. The sum goes back through tanh, which leaves $\delta_t$, and then
# every product hands it on (6.2):
#
# $$\delta_t = \Big(\frac{\partial L_t}{\partial h_t} + W_{hh}^\top \delta_{t+1}\Big) \odot (1 - h_t^2),
#   \qquad \frac{\partial L}{\partial W_{hh}} = \sum_t \delta_t\, h_{t-1}^\top .$$
#
# This is *backpropagation through time*, BPTT for short.


# %%
def rnn_backward(p, x, state, hidden, d_hidden):
    """Gradients by name, then for x and for the first state; d_hidden: (B, T, H), one cotangent a state."""
    grads = {name: np.zeros_like(p[name]) for name in ("weight_ih", "weight_hh", "bias")}
    d_x, d_state = np.empty_like(x), np.zeros_like(state)
    for t in reversed(range(x.shape[1])):
        before = hidden[:, t - 1] if t else state
        d_z = (d_hidden[:, t] + d_state) * (1 - hidden[:, t] ** 2)
        grads["weight_ih"] += d_z.T @ x[:, t]  # (H, B) @ (B, D) -> (H, D)
        grads["weight_hh"] += d_z.T @ before  # (H, B) @ (B, H) -> (H, H)
        grads["bias"] += d_z.sum(axis=0)
        d_x[:, t] = d_z @ p["weight_ih"]  # (B, H) @ (H, D) -> (B, D)
        d_state = d_z @ p["weight_hh"]  # (B, H) @ (H, H) -> (B, H)
    return grads, d_x, d_state


# %% [markdown]
# A few short sequences, random cotangents, and a nudge to every single number. The test of 6.2:
# central differences in float64 must give the same gradients.

# %%
p = initial_parameters(n_in=2, n_hidden=4, n_out=3, rng=rng)
x, state, cotangent = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 4)), rng.normal(size=(3, 5, 4))
grads, d_x, d_state = rnn_backward(p, x, state, rnn_forward(p, x, state), cotangent)


def slopes(array, nudge=1e-6):
    """Central differences of (hidden * cotangent).sum() along every number of `array`, nudged in place."""
    result = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept, ends = array[index], []
        for step in (nudge, -nudge):
            array[index] = kept + step
            ends.append((rnn_forward(p, x, state) * cotangent).sum())
        array[index] = kept
        result[index] = (ends[0] - ends[1]) / (2 * nudge)
    return result


pairs = [(grad, p[name]) for name, grad in grads.items()] + [(d_x, x), (d_state, state)]
largest = max(abs(grad - slopes(array)).max() for grad, array in pairs)
print(f"largest difference from central differences: {largest:.1e}")
assert largest < 1e-7

# %% [markdown]
# ## The same, faster
#
# Only the product with $W_{hh}$ must wait for the step before. The product with $W_{ih}$ needs the inputs
# alone, so one large product does all steps before the loop. Time comes first inside, so that each step's
# numbers lie together.


# %%
def rnn_forward_fast(p, x, state):
    """As rnn_forward, shapes and ValueError included, with all inputs projected in one product at first."""
    if x.ndim != 3 or state.shape != (len(x), len(p["bias"])):
        raise ValueError(f"x {x.shape} and state {state.shape} for {len(p['bias'])} hidden units")
    steps = np.ascontiguousarray(x.swapaxes(0, 1))  # (B, T, D) -> (T, B, D)
    hidden = steps @ p["weight_ih"].T + p["bias"]  # (T, B, D) @ (D, H) -> (T, B, H)
    weight = np.ascontiguousarray(p["weight_hh"].T)  # (H, H)
    for h in hidden:
        h += state @ weight  # (B, H) @ (H, H) -> (B, H)
        state = np.tanh(h, out=h)
    return hidden.swapaxes(0, 1)  # (T, B, H) -> (B, T, H)


# %% [markdown]
# Going back, the blame of a step must wait for the step after it. The two weight gradients need not: they
# are sums over time and batch, so each is one product after the loop.


# %%
def rnn_backward_fast(p, x, state, hidden, d_hidden):
    """As rnn_backward, with each weight's gradient as one product after the loop."""
    n_in, n_hidden = x.shape[2], state.shape[1]
    steps, d_z = hidden.swapaxes(0, 1), d_hidden.swapaxes(0, 1).copy()  # both (T, B, H)
    slope = 1 - steps * steps
    d_state = np.zeros_like(state)
    for t in reversed(range(len(steps))):
        d_z[t] += d_state
        d_z[t] *= slope[t]
        d_state = d_z[t] @ p["weight_hh"]  # (B, H) @ (H, H) -> (B, H)
    before = np.concatenate([state[None], steps[:-1]]).reshape(-1, n_hidden)  # (T * B, H)
    inputs = x.swapaxes(0, 1).reshape(-1, n_in)  # (T * B, D)
    flat = d_z.reshape(-1, n_hidden)  # (T, B, H) -> (T * B, H)
    grads = {
        "weight_ih": flat.T @ inputs,  # (H, T * B) @ (T * B, D) -> (H, D)
        "weight_hh": flat.T @ before,  # (H, T * B) @ (T * B, H) -> (H, H)
        "bias": flat.sum(axis=0),
    }
    return grads, (d_z @ p["weight_ih"]).swapaxes(0, 1), d_state  # (T, B, H) @ (H, D) -> (B, T, D)


hidden = rnn_forward_fast(p, x, state)
np.testing.assert_allclose(hidden, rnn_forward(p, x, state), rtol=1e-10, atol=1e-12)
fast_grads, fast_d_x, fast_d_state = rnn_backward_fast(p, x, state, hidden, cotangent)
for name, grad in grads.items():
    np.testing.assert_allclose(fast_grads[name], grad, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(fast_d_x, d_x, rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(fast_d_state, d_state, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Names as batches
#
# A dot stands before and after each name. The network reads the dot and the letters, and at every step
# guesses what follows. Names differ in length: the short ones of a batch are padded, and each position
# gets a *share* of the loss, zero where there is only padding (11.1).

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
names = [names[i] for i in rng.permutation(len(names))]
n_train = len(names) * 9 // 10
letters = ".abcdefghijklmnopqrstuvwxyz"


def batch_of(names):
    """One-hot letters (B, T, 27), the letters that follow (B, T), and shares of the loss (B, T), sum 1."""
    x = np.zeros((len(names), 1 + max(map(len, names))), dtype=np.int64)
    y, share = np.zeros_like(x), np.zeros(x.shape)
    for i, name in enumerate(names):
        codes = [letters.index(letter) for letter in name]
        x[i, 1 : len(name) + 1] = y[i, : len(name)] = codes
        share[i, : len(name) + 1] = 1
    return np.eye(27)[x], y, share / share.sum()


x, y, share = batch_of(["al", "eve"])
print(y, (share > 0).astype(int), sep="\n")
assert np.isclose(share.sum(), 1) and share[0, -1] == 0

# %% [markdown]
# Scores, cross-entropy, and back. The gradient of cross-entropy is probability minus one-hot (6.4), here
# times each position's share. The function also returns the last state: a reader who stops may go on later
# from there.


# %%
def loss_and_gradients(p, x, y, share, state=None):
    """Cross-entropy (nats) weighted by share (B, T), gradients by name, and the last state (B, H)."""
    state = np.zeros((len(x), len(p["bias"]))) if state is None else state
    hidden = rnn_forward_fast(p, x, state)
    logits = hidden @ p["weight_out"].T + p["bias_out"]  # (B, T, H) @ (H, V) -> (B, T, V)
    logits -= logits.max(axis=2, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    target = np.eye(logits.shape[2])[y]  # (B, T, V)
    loss = -(share * (log_probs * target).sum(axis=2)).sum()

    d_logits = share[:, :, None] * (np.exp(log_probs) - target)  # (B, T, V)
    d_hidden = d_logits @ p["weight_out"]  # (B, T, V) @ (V, H) -> (B, T, H)
    grads, _, _ = rnn_backward_fast(p, x, state, hidden, d_hidden)
    grads["weight_out"] = np.tensordot(d_logits, hidden, axes=((0, 1), (0, 1)))  # (V, H)
    grads["bias_out"] = d_logits.sum(axis=(0, 1))
    return loss, grads, hidden[:, -1]


p = initial_parameters(27, 64, 27, rng)
loss, _, _ = loss_and_gradients(p, *batch_of(names[:100]))
print(f"loss of an untrained network {loss:.3f}   of a blind guess {np.log(27):.3f}")
assert abs(loss - np.log(27)) < 0.1

# %% [markdown]
# ## Gradient clipping
#
# A loop can multiply blame as well as fade it (lesson 11.3 shows both), and one huge gradient can undo
# hours of training. *Clipping by norm* (7.5) leaves the direction and bounds the length: where the norm
# over all parameters exceeds a limit, all gradients shrink by the same factor.


# %%
def clip(grads, max_norm):
    """Scale all gradients in place so that their joint norm is at most max_norm; returns the norm before."""
    norm = np.sqrt(sum((grad * grad).sum() for grad in grads.values()))
    factor = min(1.0, max_norm / (norm + 1e-6))  # PyTorch's small number, for an equal result
    for grad in grads.values():
        grad *= factor
    return norm


def adam_step(p, grads, moments, step, learning_rate):
    """One step of Adam (7.2), in place; moments: a dict that starts empty, step: counted from 1."""
    for name, grad in grads.items():
        mean, square = moments.get(name, (0.0, 0.0))
        mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad * grad
        moments[name] = mean, square
        scale = np.sqrt(square) / np.sqrt(1 - 0.999**step) + 1e-8
        p[name] -= learning_rate / (1 - 0.9**step) * mean / scale


long = {"a": np.array([3.0]), "b": np.array([[4.0]])}
norm = clip(long, max_norm=1.0)
print(f"norm {norm:.1f}, after clipping {long['a'][0]:.2f} and {long['b'][0, 0]:.2f}")
np.testing.assert_allclose([long["a"][0], long["b"][0, 0]], [0.6, 0.8], rtol=1e-5)

# %% [markdown]
# ## Training
#
# Each step takes a random batch of names, and the learning rate falls in a straight line (7.3). The
# held-out names are scored now and then. A fair rival is the *bigram*: a table of how often each letter
# follows each other one, with one added to every count. It has a memory of one letter.

# %%
first_parameters = {name: array.copy() for name, array in p.items()}
n_steps, batch_size, learning_rate = 2000, 64, 0.005
batches = rng.integers(n_train, size=(n_steps, batch_size))
held_out = batch_of(names[n_train:])
losses, test_losses, moments, n_clipped = [], {}, {}, 0
for step in range(1, n_steps + 1):
    loss, grads, _ = loss_and_gradients(p, *batch_of([names[i] for i in batches[step - 1]]))
    n_clipped += clip(grads, max_norm=0.5) > 0.5
    adam_step(p, grads, moments, step, learning_rate * (1 - step / (n_steps + 1)))
    losses.append(loss)
    if step % 400 == 0:
        test_losses[step] = loss_and_gradients(p, *held_out)[0]
        print(f"step {step:4d}   loss {np.mean(losses[-100:]):.4f}   held out {test_losses[step]:.4f}")

counts = np.ones((27, 27))
train_x, train_y, train_share = batch_of(names[:n_train])
np.add.at(counts, (train_x.argmax(axis=2)[train_share > 0], train_y[train_share > 0]), 1)
table = np.log(counts / counts.sum(axis=1, keepdims=True))
test_x, test_y, test_share = held_out
bigram_loss = -(test_share * table[test_x.argmax(axis=2), test_y]).sum()
print(f"steps that were clipped: {n_clipped}   the bigram's loss on held-out names: {bigram_loss:.4f}")
assert test_losses[n_steps] < bigram_loss - 0.15

# %% [markdown]
# ## Inventing names
#
# To write, the model reads its own last letter. Before drawing one we divide the scores by a
# *temperature* $\tau$: letter $i$ with score $s_i$ gets a probability in proportion to $e^{s_i / \tau}$.
# Below one it prefers the likely letters still more; above one it takes risks. Adding *Gumbel noise*,
# $-\ln(-\ln u)$ for a uniform $u$ between 0 and 1, to the scores and taking the largest draws from
# exactly this distribution.


# %%
def sample(p, n, temperature, rng, longest=20):
    """n names as strings, cut off after `longest` letters; raises ValueError unless temperature > 0."""
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, got {temperature}")
    state, letter = np.zeros((n, len(p["bias"]))), np.zeros(n, dtype=np.int64)
    written = []
    for _ in range(longest):
        state = rnn_forward(p, np.eye(27)[letter][:, None], state)[:, 0]  # (n, 1, 27) -> (n, H)
        logits = state @ p["weight_out"].T + p["bias_out"]  # (n, H) @ (H, 27) -> (n, 27)
        letter = (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)
        written.append(letter)
    return ["".join(letters[i] for i in row).split(".")[0] for row in np.stack(written, axis=1)]


known, temperatures = set(names) | {""}, (0.3, 0.6, 1.0, 1.5)  # an empty name is not a new one
new_share = {}
print(f"{'temperature':20s}{'new':>12s}   some of the new ones")
for temperature in temperatures:
    drawn = sample(p, 1000, temperature, rng)
    new = [name for name in drawn if name not in known]
    new_share[temperature] = len(new) / len(drawn)
    shown = list(dict.fromkeys(new))[:5]
    assert not known & set(shown)
    print(f"{temperature:<20.1f}{new_share[temperature]:12.1%}   {', '.join(shown)}")
assert new_share[0.3] < new_share[1.0] < new_share[1.5]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
smooth = np.convolve(losses, np.ones(50) / 50, mode="valid")
left.plot(np.arange(50, n_steps + 1), smooth, label="training, mean of 50 steps")
left.plot(list(test_losses), list(test_losses.values()), "o--", label="held out")
left.axhline(bigram_loss, color="0.7", linewidth=0.8, zorder=0, label="bigram, held out")
left.set(xlabel="step", ylabel="loss (nats per letter)", title="The state beats a memory of one letter")
left.legend()
right.plot(temperatures, [100 * new_share[t] for t in temperatures], "o-", color="C1")
right.set(xlabel="temperature", ylabel="new among 1,000 samples (%)", ylim=(0, 105))
right.set_title("Warmer means newer")
plt.show()

# %% [markdown]
# ## Truncated BPTT
#
# A book is one sequence of a million steps, and no memory holds them all. In practice one reads a *chunk*,
# goes back through it alone, and carries the last state on as plain numbers. What happened before the
# chunk is still known, but can no longer be blamed.


# %%
def truncated(p, x, y, share, chunk):
    """As loss_and_gradients, but blame stays within pieces of `chunk` steps; the state is carried on."""
    total, sums, state = 0.0, {name: np.zeros_like(array) for name, array in p.items()}, None
    for start in range(0, x.shape[1], chunk):
        piece = np.s_[:, start : start + chunk]
        loss, grads, state = loss_and_gradients(p, x[piece], y[piece], share[piece], state)
        total += loss
        for name, grad in grads.items():
            sums[name] += grad
    return total, sums


# %% [markdown]
# The loss is the same for any chunk, its gradient is not. That error does not average out over batches:
# it is a *bias*, in the sense of 7.6. We join held-out names to sequences of sixty-four letters and
# measure, for $W_{hh}$, how far the truncated gradient is from the whole one.

# %%
stream = np.array([letters.index(letter) for letter in "." + ".".join(names[n_train:])])
n_rows = (len(stream) - 1) // 64
x = np.eye(27)[stream[: 64 * n_rows].reshape(n_rows, 64)]  # (n_rows, 64, 27)
y = stream[1 : 64 * n_rows + 1].reshape(n_rows, 64)
share = np.full(y.shape, 1 / y.size)
whole_loss, whole, _ = loss_and_gradients(p, x, y, share)
chunks, bias = (1, 2, 4, 8, 16, 32, 64), []
print(f"{'chunk':20s}{'bias':>12s}")
for chunk in chunks:
    loss, grads = truncated(p, x, y, share, chunk)
    np.testing.assert_allclose(loss, whole_loss, rtol=1e-10)
    difference = np.linalg.norm(grads["weight_hh"] - whole["weight_hh"])
    bias.append(difference / np.linalg.norm(whole["weight_hh"]))
    print(f"{chunk:<20d}{bias[-1]:12.3g}")
assert bias[-1] < 1e-10 and bias[0] > 2 * bias[4]

# %% [markdown]
# A bias is one thing, blindness another. Here the network sees one of four signs, then other symbols that
# mean nothing, and must name the sign at the end. Where the last chunk does not reach back to the sign,
# the weights that read it are never blamed: they stay as they were drawn.


# %%
def recall(chunk, n_steps, rng, wait=8):
    """Learn to name, `wait` steps later, which of four signs came first.

    Returns the loss of each step, and how far the weights that read the signs have moved.
    """
    p, moments, losses = initial_parameters(8, 16, 4, rng), {}, []
    drawn = p["weight_ih"].copy()
    share = np.zeros((32, wait + 1))
    share[:, -1] = 1 / 32
    for step in range(1, n_steps + 1):
        symbols = 4 + rng.integers(4, size=(32, wait + 1))
        symbols[:, 0] -= 4  # the sign
        y = np.repeat(symbols[:, :1], wait + 1, axis=1)
        loss, grads = truncated(p, np.eye(8)[symbols], y, share, chunk)
        clip(grads, max_norm=1.0)
        adam_step(p, grads, moments, step, learning_rate=0.01)
        losses.append(loss)
    return losses, abs(p["weight_ih"] - drawn)[:, :4].max()


recalls = {chunk: recall(chunk, 400, np.random.default_rng(1)) for chunk in (4, 9)}
print(f"{'chunk':20s}{'loss':>12s}{'moved':>12s}")
for chunk, (curve, moved) in recalls.items():
    print(f"{chunk:<20d}{np.mean(curve[-50:]):12.3g}{moved:12.3g}")
assert recalls[4][1] == 0 and recalls[9][1] > 0.1
assert np.mean(recalls[9][0][-50:]) < 0.02 < 0.1 < np.mean(recalls[4][0][-50:])

# %% [markdown]
# The short chunks do not leave the network wholly ignorant. A random network lets a faint trace of the
# sign through by luck, and the last chunk learns to read it. What it cannot do is learn to *write* the
# sign down better, and so it is left with luck.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(chunks[:-1], bias[:-1], "o-", color="C1")
left.set_xscale("log", base=2)
left.set(xlabel="chunk (steps)", ylabel="relative error of the gradient", ylim=0)
left.set_title("Short chunks bend the gradient")
for chunk, style in ((4, "--"), (9, "-")):
    right.plot(recalls[chunk][0], style, label=f"chunks of {chunk}")
right.axhline(np.log(4), color="0.7", linewidth=0.8, zorder=0, label="blind guess")
right.set(xlabel="step", ylabel="loss (nats)", title="What lies before the chunk is left to luck")
right.legend()
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# `nn.RNN` has two biases where one would do, so we hold the second at zero. We copy the parameters from
# before training.

# %%
model = nn.ModuleDict({"rnn": nn.RNN(27, 64, batch_first=True), "out": nn.Linear(64, 27)}).double()
copies = {
    "weight_ih": model["rnn"].weight_ih_l0,
    "weight_hh": model["rnn"].weight_hh_l0,
    "bias": model["rnn"].bias_ih_l0,
    "weight_out": model["out"].weight,
    "bias_out": model["out"].bias,
}
with torch.no_grad():
    for name, parameter in copies.items():
        parameter.copy_(torch.from_numpy(first_parameters[name]))
    model["rnn"].bias_hh_l0.zero_().requires_grad_(False)

# %% [markdown]
# Then we train on the same batches, and compare the first part of the two loss curves. `ignore_index`
# leaves out the padding.

# %%
optimizer = torch.optim.Adam(copies.values())
torch_losses = []
for step in range(1, 201):
    x, y, share = batch_of([names[i] for i in batches[step - 1]])
    targets = torch.from_numpy(np.where(share > 0, y, -1))  # (B, T)
    hidden, _ = model["rnn"](torch.from_numpy(x))  # (B, T, 27) -> (B, T, H)
    logits = model["out"](hidden)  # (B, T, H) @ (H, 27) -> (B, T, 27)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(copies.values(), max_norm=0.5)
    optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / (n_steps + 1))
    optimizer.step()
    torch_losses.append(loss.item())

largest = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses))
print(f"largest difference over {len(torch_losses)} steps: {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# ## What to remember
#
# - An unrolled loop is a deep network whose layers share their weights. The gradient of a shared weight is
#   the sum of what each use asks for.
# - Each state is blamed by its own output and by the next state. That is all of BPTT.
# - What need not wait for the step before belongs outside the loop, forward and backward.
# - Truncation leaves the loss alone and bends the gradient: a network can use what lies before the chunk,
#   but cannot learn to keep it.
# - Clipping bounds the gradient's length and leaves its direction. Temperature trades likely names for
#   new ones.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Leave out `+ d_state` in `rnn_backward`. Which of the checks notices, and which gradients stay right?
# 2. Train on names written backwards. Is the held-out loss lower or higher?
# 3. Add 8, one step short of the sign, to the chunks of `recalls`. Is its row of the table like that of 4
#    or of 9?
#
# ## Sources
#
# - J. L. Elman, "Finding structure in time", *Cognitive Science* 14, 1990: the network.
# - P. J. Werbos, "Backpropagation through time: what it does and how to do it", *Proc. IEEE* 78, 1990.
# - R. J. Williams, J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent
#   network trajectories", *Neural Computation* 2, 1990: truncation.
# - R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", *ICML*
#   2013, section 3.2: clipping the norm.
