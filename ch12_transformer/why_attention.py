# %% [markdown]
# # 12.1 Why attention: look back instead of remembering
#
# Someone reads you a phone number and asks for it backwards. Four digits are no trouble, twelve are: all
# must be in your head at once. Now you may write them down. Twelve or forty, you only have to look at the
# right place. A recurrent network has a head and no paper. *Attention* is the paper.
#
# **You will build** a network that reads and one that answers, first with a bottleneck between them, then
# with additive attention. **You need** recurrent networks (11.2), vanishing gradients (11.3), GRUs in both
# directions (11.5) and embeddings (11.6). **It takes** about half a minute.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# The first of $n$ words matters for the last. How many operations lie between them? A recurrent network
# hands its state on, word by word: $n - 1$. A convolution of width 3 reaches one word further in each
# layer: $n - 1$ layers, or fewer with a wider kernel. If every word may look at every word: one.
#
# We count: start from the first word, and see after how many rounds the last has heard of it.


# %%
def rounds_to_reach(linked):
    """How often news must be passed on from element 0 to the last one; linked: (n, n), True at [to, from].

    Raises ValueError where the last element never hears of it.
    """
    heard = np.zeros(len(linked), dtype=bool)
    heard[0] = True
    for rounds in range(len(linked)):
        if heard[-1]:
            return rounds
        heard = heard | (linked & heard).any(axis=1)
    raise ValueError(f"element {len(linked) - 1} never hears of element 0")


print(f"{'words':20s}{'recurrent':>12s}{'width 3':>12s}{'width 7':>12s}{'attention':>12s}")
for n in (4, 16, 64):
    offset = np.arange(n)[:, None] - np.arange(n)  # (n, n): to minus from
    links = offset == 1, abs(offset) <= 1, abs(offset) <= 3, np.ones((n, n), dtype=bool)
    path = [rounds_to_reach(linked) for linked in links]
    print(f"{n:<20d}" + "".join(f"{rounds:12d}" for rounds in path))
    assert path == [n - 1, n - 1, -(-(n - 1) // 3), 1]

# %% [markdown]
# ## What is left of the gradient
#
# A long path is a long product, and lesson 11.3 showed what becomes of those. Here is the size of
# $\partial h_n / \partial x_t$ against the distance $n - t$, at PyTorch's default initialization: for a
# vanilla network, a GRU, and the plainest form of attention, in which the last word's output is an
# average of all words, weighted by how much they are like it.


# %%
def gradient_by_distance(f, n, n_features, n_draws=10):
    """Mean size of d f(x)[0, -1] / d x[0, t] for t = n - 1 down to 0, over random x (1, n, D): (n,)."""
    sizes = []
    for seed in range(n_draws):
        x = torch.randn(1, n, n_features, generator=torch.Generator().manual_seed(seed))
        x.requires_grad_()
        last = f(x)[0, -1]  # (H,)
        cotangent = torch.randn(last.shape, generator=torch.Generator().manual_seed(seed + 100))
        sizes.append(torch.autograd.grad(last, x, cotangent)[0][0].norm(dim=1))
    return torch.stack(sizes).mean(dim=0).flip(0).numpy()


def average_by_likeness(x):
    """Each word of x (B, T, D) becomes an average of all, weighted by softmax of dot products over D."""
    weights = (x @ x.transpose(1, 2) / x.shape[-1]).softmax(dim=-1)  # (B, T, D) @ (B, D, T) -> (B, T, T)
    return weights @ x  # (B, T, T) @ (B, T, D) -> (B, T, D)


n, n_features = 64, 32
torch.manual_seed(0)
rnn, gru = (layer(n_features, n_features, batch_first=True) for layer in (nn.RNN, nn.GRU))
readers = {"RNN": lambda x: rnn(x)[0], "GRU": lambda x: gru(x)[0], "attention": average_by_likeness}
sizes = {name: gradient_by_distance(f, n, n_features) for name, f in readers.items()}
for name, line in sizes.items():
    print(f"{name:20s} distance 1: {line[1]:.2g}   30: {line[30]:.2g}   63: {line[63]:.2g}")
assert sizes["RNN"][63] < 1e-6 * sizes["RNN"][1] and sizes["GRU"][63] < 1e-6 * sizes["GRU"][1]
assert 0.3 < sizes["attention"][63] / sizes["attention"][1] < 3

# %% [markdown]
# ## Steps that must wait
#
# The second price of the loop is time. A step cannot begin before the one before it has ended, however
# many processors are idle. Attention has no order: its $n^2$ dot products are one matrix product. On a
# long text that is more arithmetic, growing with the square of $n$, but in fewer steps. We time both on
# one sequence, forward only.


# %%
def read_step_by_step(x, weight):
    """A vanilla recurrence over x (T, D) with weight (D, D): T products that wait for each other, (T, D)."""
    h, states = np.zeros(x.shape[1], x.dtype), []
    for step in x:
        h = np.tanh(step + weight @ h)  # (D, D) @ (D,) -> (D,)
        states.append(h)
    return np.stack(states)


def read_at_once(x):
    """`average_by_likeness` for one sequence (T, D) in NumPy: two products in all."""
    scores = x @ x.T / x.shape[1]  # (T, D) @ (D, T) -> (T, T)
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exps @ x / exps.sum(axis=1, keepdims=True)  # (T, T) @ (T, D) -> (T, D)


weight = rng.normal(size=(64, 64)).astype(np.float32) / 8
lengths, milliseconds = [16, 32, 64, 128, 256, 512], {"step by step": [], "at once": []}
for n in lengths:
    x = rng.normal(size=(n, 64)).astype(np.float32)
    for name, f in (("step by step", lambda x: read_step_by_step(x, weight)), ("at once", read_at_once)):
        times = []
        for _ in range(9):
            started = time.perf_counter()
            f(x)
            times.append(time.perf_counter() - started)
        milliseconds[name].append(1e3 * min(times))
    print(f"{n:4d} words: " + "   ".join(f"{name} {line[-1]:.3f} ms" for name, line in milliseconds.items()))
np.testing.assert_allclose(read_at_once(x), average_by_likeness(torch.from_numpy(x)[None])[0], atol=1e-5)
growth = {name: line[-1] / line[0] for name, line in milliseconds.items()}
assert growth["at once"] > growth["step by step"]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, line), style in zip(sizes.items(), ("-", "--", "-.")):
    left.semilogy(line, style, label=name)
left.set(xlabel="distance", ylabel="size of the gradient", title="A loop forgets, a look does not")
left.legend()
for (name, line), style in zip(milliseconds.items(), ("o-", "s--")):
    right.loglog(lengths, line, style, label=name)
right.set(xlabel="words", ylabel="time (ms)", xticks=lengths, xticklabels=lengths)
right.set_title("Two products wait for nothing, but grow faster")
right.minorticks_off()
right.legend()
plt.show()

# %% [markdown]
# ## Digits backwards
#
# Back to the phone number. Two networks share the work (Sutskever et al. 2014). The *encoder* reads the
# digits, and its last state is all that the *decoder* gets. The decoder writes digit by digit, and reads
# each one it wrote as its next input. While it learns, it reads the right digit instead of its own:
# *teacher forcing*.
#
# The last state is a *bottleneck*: as many numbers for twelve digits as for two.


# %%
N_SYMBOLS, START = 10, 10  # the digits, and what the decoder reads before its first one


def reversals(batch_size, n, generator):
    """Random digits (B, n) and the same backwards (B, n)."""
    x = torch.randint(N_SYMBOLS, (batch_size, n), generator=generator)
    return x, x.flip(1)


class Bottleneck(nn.Module):
    """A bidirectional GRU reads digits (B, S), a GRU writes digits (B, T) from its last state alone.

    n_seen: how many numbers the read-out gets for each digit, by default the decoder's n_hidden.
    """

    def __init__(self, n_embedding=32, n_hidden=64, n_seen=None):
        super().__init__()
        self.embed = nn.Embedding(N_SYMBOLS + 1, n_embedding)
        self.encoder = nn.GRU(n_embedding, n_hidden // 2, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(n_embedding, n_hidden, batch_first=True)
        self.read_out = nn.Linear(n_seen or n_hidden, N_SYMBOLS)

    def encode(self, x):
        """The encoder's states (B, S, H) and its last ones of both directions as (1, B, H)."""
        states, last = self.encoder(self.embed(x))  # last: (2, B, H / 2)
        return states, last.transpose(0, 1).flatten(1)[None]  # (2, B, H / 2) -> (B, H) -> (1, B, H)

    def decode(self, states, h, previous):
        """Logits (B, T, 10) after the digits `previous` (B, T), the new h, and the weights or None."""
        hidden, h = self.decoder(self.embed(previous), h)  # (B, T, H)
        return self.read_out(hidden), h, None

    def forward(self, x, y):
        """Logits (B, T, 10) with the right digits y (B, T) read along: teacher forcing."""
        states, h = self.encode(x)
        start = torch.full_like(y[:, :1], START)
        return self.decode(states, h, torch.cat([start, y[:, :-1]], dim=1))[0]


# %% [markdown]
# ## Additive attention
#
# Keep *all* states $k_1, \dots, k_S$ of the encoder: that is the paper. Before the decoder answers, its
# state $q$ scores each of them with a small network of one hidden layer, softmax turns scores into
# weights, and their average, the *context*, is laid beside $q$ (Bahdanau et al. 2015):
#
# $$z_s = v \cdot \tanh(W q + U k_s), \qquad w = \operatorname{softmax}(z), \qquad
#   \text{context} = \sum_s w_s k_s .$$


# %%
def additive_attention(query, keys, weight_q, weight_k, v):
    """Bahdanau's attention, one pair at a time: context (T, H) and weights (T, S).

    query: (T, H), keys: (S, H), which are the values, too; weight_q and weight_k: (A, H), v: (A,).
    """
    context, all_weights = [], []
    for q in query:
        scores = np.array([v @ np.tanh(weight_q @ q + weight_k @ k) for k in keys])  # (A, H) @ (H,) -> (A,)
        exps = np.exp(scores - scores.max())
        all_weights.append(exps / exps.sum())
        context.append(sum(w * k for w, k in zip(all_weights[-1], keys)))
    return np.array(context), np.array(all_weights)


class AdditiveAttention(nn.Module):
    """`additive_attention` for batches: query (B, T, H) and keys (B, S, H) to (B, T, H) and (B, T, S)."""

    def __init__(self, n_hidden):
        super().__init__()
        self.query = nn.Linear(n_hidden, n_hidden, bias=False)
        self.key = nn.Linear(n_hidden, n_hidden, bias=False)
        self.score = nn.Linear(n_hidden, 1, bias=False)

    def forward(self, query, keys):
        pairs = self.query(query)[:, :, None] + self.key(keys)[:, None]  # (B, T, 1, A) + (B, 1, S, A)
        weights = self.score(pairs.tanh()).squeeze(-1).softmax(dim=-1)  # (B, T, S, 1) -> (B, T, S)
        return weights @ keys, weights  # (B, T, S) @ (B, S, H) -> (B, T, H)


# %% [markdown]
# The loops and the module, with the same weights in float64, must agree.

# %%
layer = AdditiveAttention(4).double()
weights = [parameter.detach().numpy() for parameter in layer.parameters()]
query, keys = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))  # (B, T, H), (B, S, H)
contexts, alignments = layer(torch.from_numpy(query), torch.from_numpy(keys))
for b in range(2):
    context, alignment = additive_attention(query[b], keys[b], weights[0], weights[1], weights[2][0])
    np.testing.assert_allclose(context, contexts[b].detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(alignment, alignments[b].detach(), rtol=1e-10, atol=1e-12)
print(f"context {tuple(contexts.shape)}, weights {tuple(alignments.shape)}")

# %% [markdown]
# The second network differs from the first in nothing else. Bahdanau's decoder looks *before* its step
# and takes the context in; ours looks *after* it (as in Luong et al. 2015), so that all steps of a
# teacher-forced answer are one product.


# %%
class Attentive(Bottleneck):
    """The same, but the decoder also sees an average of all encoder states, weighted anew for each digit."""

    def __init__(self, n_embedding=32, n_hidden=64):
        super().__init__(n_embedding, n_hidden, n_seen=2 * n_hidden)
        self.attention = AdditiveAttention(n_hidden)

    def decode(self, states, h, previous):
        hidden, h = self.decoder(self.embed(previous), h)  # (B, T, H)
        context, weights = self.attention(hidden, states)  # (B, T, H), (B, T, S)
        return self.read_out(torch.cat([hidden, context], dim=-1)), h, weights


@torch.no_grad()
def answer(model, x):
    """What the model writes for x (B, S), reading its own digits, (B, S); the weights (B, S, S) or None."""
    states, h = model.encode(x)
    previous, written, looked = torch.full_like(x[:, :1], START), [], []
    for _ in range(x.shape[1]):
        logits, h, weights = model.decode(states, h, previous)
        previous = logits.argmax(dim=-1)  # (B, 1)
        written.append(previous)
        looked.append(weights)
    return torch.cat(written, dim=1), None if looked[0] is None else torch.cat(looked, dim=1)


# %% [markdown]
# Both train once, on lengths drawn from 2 to 12, and are then tested on each length and on longer ones.
# The measure is the share of right digits; guessing gives a tenth.

# %%
LONGEST, test_lengths = 12, [2, 4, 6, 8, 10, 12, 16, 20, 24]
models, accuracy = {}, {}
for name, make in (("bottleneck", Bottleneck), ("attention", Attentive)):
    torch.manual_seed(0)
    model, generator = make(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for step in range(1, 601):
        length = int(torch.randint(2, LONGEST + 1, (), generator=generator))
        x, y = reversals(32, length, generator)
        loss = F.cross_entropy(model(x, y).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 120 == 0:
            print(f"{name:12s} step {step:3d}   length {length:2d}   loss {loss.item():.4f} nats")
    models[name], accuracy[name] = model, []

# %%
for name, model in models.items():
    for length in test_lengths:
        x, y = reversals(200, length, torch.Generator().manual_seed(99))
        accuracy[name].append((answer(model, x)[0] == y).float().mean().item())
print(f"{'length':20s}" + "".join(f"{name:>12s}" for name in accuracy))
for i, length in enumerate(test_lengths):
    print(f"{length:<20d}" + "".join(f"{line[i]:12.2f}" for line in accuracy.values()))
within = [i for i, length in enumerate(test_lengths) if length <= LONGEST]
narrow, wide = (np.array(accuracy[name])[within] for name in ("bottleneck", "attention"))
assert narrow[0] > 0.9 and narrow[-1] < 0.65 and np.all(np.diff(narrow) < 0.02)
assert wide.min() > 0.75 and wide[-1] > narrow[-1] + 0.2

# %% [markdown]
# ## Where it looks
#
# Beyond the trained lengths attention loses digits, too: it must still *find* the right state, and it has
# learned that on short numbers. But nothing has to be squeezed through one state. And its weights can be
# read: for every digit that is written, where did the decoder look? For a reversal it should look at the
# last digit first, and walk back: an *anti-diagonal*.

# %%
x, y = reversals(200, LONGEST, torch.Generator().manual_seed(99))
written, weights = answer(models["attention"], x)  # (200, 12), (200, 12, 12)
expected = torch.arange(LONGEST - 1, -1, -1)
misses = (weights.argmax(dim=-1) - expected).abs()  # (200, 12): places off the anti-diagonal
on_average = (weights.mean(dim=0).argmax(dim=-1) - expected).abs()  # (12,)
print(f"within one place of the anti-diagonal: {(misses <= 1).float().mean():.3f} of all looks")
assert (misses <= 1).float().mean() > 0.8 and on_average.max() <= 1

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, line), style in zip(accuracy.items(), ("o-", "s--")):
    left.plot(test_lengths, line, style, label=name)
left.axvspan(2, LONGEST, color="0.93", zorder=0)
left.text((2 + LONGEST) / 2, 0.05, "trained", ha="center")
left.axhline(0.1, color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="digits", ylabel="share of right digits", ylim=(0, 1.05))
left.set_title("The bottleneck fills up, attention holds")
left.legend(loc="lower left", bbox_to_anchor=(0, 0.1))
image = right.imshow(weights[0], cmap="viridis", vmin=0, vmax=1)
right.set(xlabel="digit read", ylabel="digit written", title="Written from the last digit to the first")
right.set(xticks=range(LONGEST), xticklabels=x[0].tolist())
right.set(yticks=range(LONGEST), yticklabels=written[0].tolist())
fig.colorbar(image, ax=right, label="weight")
plt.show()

# %% [markdown]
# ## A dictionary that answers to anything
#
# Strip the networks away, and a look-up remains. A Python dictionary compares a *query* with its *keys*,
# finds the one that is equal, and returns that one's *value*. Attention is the soft version: it compares
# with all keys, and returns a mixture of all values, weighted by likeness. Sharpen the softmax, and the
# exact look-up comes back. And unlike the exact one, it has a gradient: a query that asked the wrong thing
# learns in which direction to ask.


# %%
def soft_look_up(query, keys, values, sharpness):
    """The average of values (S, n), weighted by softmax of sharpness times keys (S, d) @ query (d,)."""
    scores = sharpness * keys @ query  # (S, d) @ (d,) -> (S,)
    exps = np.exp(scores - scores.max())
    return exps @ values / exps.sum()  # (S,) @ (S, n) -> (n,)


crew = {"captain": [1.0, 0.0], "mate": [0.6, 0.8], "cook": [-1.0, 0.0]}  # directions, of length one
pay = np.array([[100.0], [50.0], [20.0]])
keys = np.array(list(crew.values()))  # (3, 2)
for sharpness in (0, 1, 10, 100):
    found = soft_look_up(np.array(crew["mate"]), keys, pay, sharpness).item()
    print(f"sharpness {sharpness:3d}: the mate earns {found:.2f}")
assert abs(found - 50) < 1e-6
assert abs(soft_look_up(np.array(crew["mate"]), keys, pay, 0).item() - pay.mean()) < 1e-10

# %% [markdown]
# Query, key, value: lesson 12.2 takes these three, leaves out the recurrence altogether, and lets every
# word of a text look at every other.
#
# ## What to remember
#
# - In a loop the path between two words grows with their distance; with attention it is one step.
# - A loop's steps wait for each other. Attention's do not, but on a long text it does more arithmetic.
# - One state for a whole sequence is a bottleneck: what does not fit is lost, and longer ones lose more.
# - Attention keeps all states and learns where to look. It is a soft, differentiable dictionary.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Ask for the digits in their own order. How does the alignment look, and is the bottleneck as narrow?
# 2. Double `n_hidden` of the bottleneck. How many more digits does it hold?
# 3. Make the encoder read in one direction only. What happens to attention beyond the trained length?
#
# ## Sources
#
# - D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and
#   translate", ICLR 2015, sections 3 and 5 (quality against sentence length).
# - I. Sutskever, O. Vinyals, Q. V. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014.
# - M.-T. Luong, H. Pham, C. D. Manning, "Effective approaches to attention-based neural machine
#   translation", EMNLP 2015: to look after the step.
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, table 1: path lengths.
