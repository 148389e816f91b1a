# %% [markdown]
# # 11 Solutions: states, gates, uneven lengths and sampling
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different, and if the
# check says that it is done, it is right.

# %%
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## 1 Three steps on paper
#
# The states are $2 \cdot 2 = 4$, $3 \cdot 4 - 2 = 10$ and $3 \cdot 10 + 2 = 32$. Each step back multiplies
# by $w = 3$, so $\partial L / \partial h_2 = 3$ and $\partial L / \partial h_1 = 9$. The weights are used
# in every step, and the paths add up: $\partial L / \partial u = 9 \cdot 2 + 3 \cdot (-1) + 1 \cdot 1 =
# 16$ and $\partial L / \partial w = 9 \cdot h_0 + 3 \cdot h_1 + 1 \cdot h_2 = 22$. The input $x_1$ comes
# in through $u$, so $\partial L / \partial x_1 = 9 \cdot 2 = 18$.


# %%
def three_steps():
    """States and gradients of L = h_3 at w = 3, u = 2, x = (2, -1, 1)."""
    return {
        "h_1": 4,
        "h_2": 10,
        "h_3": 32,
        "grad_h_2": 3,
        "grad_h_1": 9,
        "grad_u": 16,
        "grad_w": 22,
        "grad_x_1": 18,
    }


# %% [markdown]
# ## 2 Backward through time
#
# At each step the two ways to the loss add up: the gradient from outside and what comes back from the next
# state. The parameters are the same at every step, so their gradients are sums over the steps.


# %%
def rnn_gradients(x, states, weight_hh, grad_states):
    """(dL/dW_ih (H, C), dL/dW_hh (H, H), dL/db (H,)) from x (T, C), states and outer gradients (T, H)."""
    grad_ih = np.zeros((states.shape[1], x.shape[1]))
    grad_hh = np.zeros(weight_hh.shape)
    grad_b = np.zeros(states.shape[1])
    from_next = np.zeros(states.shape[1])
    for t in reversed(range(len(x))):
        grad_z = (grad_states[t] + from_next) * (1 - states[t] ** 2)  # (H,)
        grad_ih += np.outer(grad_z, x[t])
        if t > 0:  # the state before the first step is zero
            grad_hh += np.outer(grad_z, states[t - 1])
        grad_b += grad_z
        from_next = weight_hh.T @ grad_z  # (H, H) @ (H,) -> (H,)
    return grad_ih, grad_hh, grad_b


# %% [markdown]
# ## 3 The missing `detach`
#
# `detach` keeps the numbers of the state and cuts its history. With `retain_graph=True` the backward pass
# would run through all earlier chunks, whose weights have been changed in the meantime, and memory would
# grow with the text. With a state of zeros the network would forget at each chunk's end. An LSTM's state
# is a pair.


# %%
def train_in_chunks(rnn, read_out, x, y, chunk, optimizer):
    """The loss of each chunk of x (T, C), y (T, 1), with a step after each; rnn(x, state) as in `nn.RNN`."""
    state = None
    losses = []
    for begin in range(0, len(x), chunk):
        if isinstance(state, tuple):
            state = tuple(part.detach() for part in state)
        elif state is not None:
            state = state.detach()
        outputs, state = rnn(x[begin : begin + chunk], state)
        loss = F.mse_loss(read_out(outputs), y[begin : begin + chunk])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# ## 4 The end of a sentence
#
# For the forward direction it would be enough to pick the output at `length - 1`. The backward direction
# begins at the end of the array, reads the padding first and carries what it saw there into the sentence.
# A packed sequence knows the lengths, so both directions see real words only, and `h` holds each
# sentence's last state in the batch's own order.


# %%
def end_states(lstm, x, lengths):
    """The hidden states (B, 2H) at each end, forward then backward; lstm: batch first, bidirectional."""
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    _, (h, _) = lstm(packed)  # h: (2, B, H)
    return torch.cat([h[0], h[1]], dim=1)


# %% [markdown]
# ## 5 The two GRUs
#
# The gates $r$ and $z$ are the same in both. In PyTorch's form the three products with the state can be
# made as one, before the gates are known; in the paper's form the third has to wait for $r$.


# %%
def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh, as_in_paper):
    """The next state (B, H) from x (B, C) and h (B, H); weights (3H, C) and (3H, H), biases (3H,)."""
    n = h.shape[1]
    from_x = x @ weight_ih.T + bias_ih  # (B, C) @ (C, 3H) -> (B, 3H)
    from_h = h @ weight_hh.T + bias_hh  # (B, H) @ (H, 3H) -> (B, 3H)
    r = 1 / (1 + np.exp(-(from_x[:, :n] + from_h[:, :n])))
    z = 1 / (1 + np.exp(-(from_x[:, n : 2 * n] + from_h[:, n : 2 * n])))
    inner = r * from_h[:, 2 * n :]
    if as_in_paper:
        inner = (r * h) @ weight_hh[2 * n :].T + bias_hh[2 * n :]  # (B, H) @ (H, H) -> (B, H)
    new = np.tanh(from_x[:, 2 * n :] + inner)
    return (1 - z) * new + z * h


# %% [markdown]
# ## 6 A step that survives
#
# One factor for all keeps the direction. The check for a finite length comes first: infinity over infinity
# is NaN, and one NaN in the weights ends the training.


# %%
def clip_together(grads, limit):
    """({name: clipped gradient}, the length before) from {name: gradient}."""
    length = math.sqrt(sum(float((grad**2).sum()) for grad in grads.values()))
    if not math.isfinite(length):
        return {name: np.zeros_like(grad) for name, grad in grads.items()}, length
    factor = limit / length if length > limit else 1.0
    return {name: factor * grad for name, grad in grads.items()}, length


# %% [markdown]
# ## 7 Sampling with a temperature and a cut
#
# Cutting before the softmax makes what is left add up to one. A stable sort keeps the first of equal
# logits. For the draw, `searchsorted` with `side="right"` finds the first sum that is _more_ than `u`, so
# a character without probability is never picked; only where rounding has left the last sum below `u` does
# the last possible character stand in.


# %%
def probabilities_of(logits, temperature, k):
    """The probabilities (V,) of drawing each character, from logits (V,); 1 ≤ k ≤ V."""
    if temperature == 0:
        k, temperature = 1, 1.0
    kept = np.argsort(-logits, kind="stable")[:k]
    raised = np.zeros(len(logits))
    raised[kept] = np.exp((logits[kept] - logits.max()) / temperature)
    return raised / raised.sum()


def draw(probabilities, u):
    """The index that the random number u in [0, 1) picks."""
    index = np.searchsorted(np.cumsum(probabilities), u, side="right")
    return min(int(index), int(np.flatnonzero(probabilities)[-1]))


# %% [markdown]
# ## 8 A loss that does not see the padding
#
# Selecting the real places, instead of multiplying the others by zero, keeps NaN out of the loss and of
# the gradient. The mean over what is selected counts every character once. The sum of an empty selection
# is zero, and dividing by at least one keeps it there.


# %%
def loss_of_batch(logits, targets, lengths):
    """Mean cross-entropy (nats), a tensor (), of logits (B, T, K), targets (B, T), lengths (B,)."""
    real = torch.arange(targets.shape[1]) < lengths[:, None]  # (B, T)
    total = F.cross_entropy(logits[real], targets[real], reduction="sum")  # (n, K) and (n,)
    return total / max(1, int(real.sum()))


# %% [markdown]
# ## 9 Which lag can it learn?
#
# $f^k > \ell$ means $k < \ln \ell / \ln f$. With a bias of one $f$ is $0.73$. After 14 steps a little more
# than a hundredth is left, and after 15 steps less. The other way round, $f = \ell^{1/k}$, and the bias is
# $\ln(f / (1 - f)) = -\ln(1/f - 1)$. For long lags $f$ is so close to one that $1/f - 1$ has to be computed
# by `expm1`. For $\ell = 1/e$ the bias is $-\ln(e^{1/k} - 1)$, which for long lags is about $\ln k$: the
# rule of Tallec and Ollivier (11.4).


# %%
def longest_lag(bias, least=0.01):
    """The largest whole k with sigmoid(bias) ** k > least."""
    f = 1 / (1 + math.exp(-bias))
    return math.ceil(math.log(least) / math.log(f)) - 1


def bias_for_lag(lag, least=0.01):
    """The bias (a number) at which sigmoid(bias) ** lag is equal to least."""
    return -math.log(math.expm1(-math.log(least) / lag))
