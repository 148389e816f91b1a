# %% [markdown]
# # 12.1 Why attention: look back instead of remembering
#
# Someone reads you a phone number and asks for it backwards. Four digits are no trouble, twelve are,
# because all of them must be in your head at once. Now you may write the number down, and then you only
# have to look at the right place. A recurrent network (11.2) has nothing to write on: all that it has read
# must fit into its state. With *attention* a network keeps every state and learns where to look. It was
# invented for machine translation, because recurrent networks translated long sentences badly.
#
# **You will build** a network that reads and one that answers, first with a single state between them,
# then with attention, and you will see what limits the first. **You need** recurrent networks (11.2),
# vanishing gradients (11.3), GRUs (11.5), embeddings (11.6) and softmax (5.2). **It takes** about half a
# minute.

# %%
import math
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
# The first of $n$ words matters for the last one. How many operations lie between the two? A recurrent
# network hands its state on from word to word. A convolution of width 3 (9.1) reaches one word further in
# each layer. If its gaps double from layer to layer (by dilation), then $k$ layers reach
# $1 + 2 + 4 + \dots = 2^k - 1$ words. And if every word may look at every other, one step is enough:
#
# $$\begin{aligned}
#   \text{recurrent network} \quad & n - 1 \text{ steps} && 63 \text{ for } n = 64 \\
#   \text{convolutions of width 3} \quad & n - 1 \text{ layers} && 63 \\
#   \text{the same, dilated} \quad & \lceil \log_2 n \rceil \text{ layers} && 6 \\
#   \text{attention} \quad & 1 \text{ step} && 1
# \end{aligned}$$
#
# The function below counts the rounds, starting from the first word. In each round every word hears what
# the words that are linked to it know.


# %%
def rounds_to_reach(linked):
    """How often news must be passed on from element 0 to the last one; linked: (n, n), True at [to, from].

    Raises ValueError if the last element never hears of it.
    """
    heard = np.zeros(len(linked), dtype=bool)
    heard[0] = True
    for rounds in range(len(linked)):
        if heard[-1]:
            return rounds
        heard = heard | (linked & heard).any(axis=1)
    raise ValueError(f"element {len(linked) - 1} never hears of element 0")


print(f"{'words':20s}{'recurrent':>12s}{'width 3':>12s}{'dilated':>12s}{'attention':>12s}")
for n_words in (4, 16, 64):
    offset = np.arange(n_words)[:, None] - np.arange(n_words)  # (n, n): to minus from
    recurrent = rounds_to_reach(offset == 1)
    convolution = rounds_to_reach(abs(offset) <= 1)
    dilated = math.ceil(math.log2(n_words))
    attentive = rounds_to_reach(np.ones((n_words, n_words), dtype=bool))
    print(f"{n_words:<20d}{recurrent:12d}{convolution:12d}{dilated:12d}{attentive:12d}")
    assert recurrent == convolution == n_words - 1 and attentive == 1

# %% [markdown]
# ## What is left of the gradient
#
# A long path is a product of many factors, and such a product vanishes or explodes (11.3). How large is
# the gradient of the last output with respect to a word that stands some distance before it? We measure
# it in untrained layers, at PyTorch's default initialization: a vanilla recurrent network, a GRU, and the
# plainest form of attention, in which each output is an average of all words with larger weights for
# words that are like it. Likeness is the dot product, divided by $D$ because the product of a word with
# itself is about $D$, and otherwise each word would see only itself.


# %%
def gradient_by_distance(f, n, n_features, n_draws=10):
    """Mean size of d f(x)[0, -1] / d x[0, t] for t = n - 1 down to 0, over random x (1, n, D): (n,)."""
    sizes = []
    for seed in range(n_draws):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(1, n, n_features, generator=generator, requires_grad=True)
        last = f(x)[0, -1]  # (H,)
        cotangent = torch.randn(last.shape, generator=generator)
        sizes.append(torch.autograd.grad(last, x, cotangent)[0][0].norm(dim=1))
    return torch.stack(sizes).mean(dim=0).flip(0).numpy()


def average_by_likeness(x):
    """Each word of x (B, T, D) becomes an average of all, weighted by softmax of dot products over D."""
    weights = (x @ x.mT / x.shape[-1]).softmax(dim=-1)  # (B, T, D) @ (B, D, T) -> (B, T, T)
    return weights @ x  # (B, T, T) @ (B, T, D) -> (B, T, D)


torch.manual_seed(0)
rnn = nn.RNN(32, 32, batch_first=True)
gru = nn.GRU(32, 32, batch_first=True)
readers = {"RNN": lambda x: rnn(x)[0], "GRU": lambda x: gru(x)[0], "attention": average_by_likeness}
sizes = {name: gradient_by_distance(f, 64, 32) for name, f in readers.items()}
print(f"{'distance':20s}{'1':>12s}{'30':>12s}{'63':>12s}")
for name, line in sizes.items():
    print(f"{name:20s}{line[1]:12.2g}{line[30]:12.2g}{line[63]:12.2g}")

# %% [markdown]
# In both recurrent networks hardly anything is left of the gradient at distance 30, and at 63 it is
# smaller by many powers of ten. In the average by likeness it is about the same at every distance.
#
# ## Steps that must wait
#
# The second price of the loop is time, because a step cannot begin before the one before it has ended,
# however many processors are idle. Attention has no such order, because its $n^2$ dot products are one
# matrix product. On a long text that is more arithmetic, since it grows with the square of $n$, but it is
# done in fewer steps. We time both on one sequence, forward only. Which of the two times will grow
# faster?


# %%
def read_step_by_step(x, weight):
    """A vanilla recurrence over x (T, D) with weight (D, D): T products that wait for each other, (T, D)."""
    h = np.zeros(x.shape[1], x.dtype)
    states = []
    for step in x:
        h = np.tanh(step + weight @ h)  # (D, D) @ (D,) -> (D,)
        states.append(h)
    return np.stack(states)


def read_at_once(x):
    """`average_by_likeness` for one sequence (T, D) in NumPy: two products in all."""
    scores = x @ x.T / x.shape[1]  # (T, D) @ (D, T) -> (T, T)
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exps @ x / exps.sum(axis=1, keepdims=True)  # (T, T) @ (T, D) -> (T, D)


recurrent_weight = rng.normal(size=(64, 64)).astype(np.float32) / 8
text_lengths = [16, 32, 64, 128, 256, 512]
milliseconds = {"step by step": [], "at once": []}
for n_words in text_lengths:
    word_vectors = rng.normal(size=(n_words, 64)).astype(np.float32)  # (T, D)
    times = {"step by step": [], "at once": []}
    for _ in range(9):
        start = time.perf_counter()
        read_step_by_step(word_vectors, recurrent_weight)
        middle = time.perf_counter()
        read_at_once(word_vectors)
        times["step by step"].append(1000 * (middle - start))
        times["at once"].append(1000 * (time.perf_counter() - middle))
    for name, line in milliseconds.items():
        line.append(min(times[name]))  # the shortest: it keeps out what else the machine does
torch_vectors = torch.from_numpy(word_vectors)[None]  # (1, T, D)
np.testing.assert_allclose(
    read_at_once(word_vectors), average_by_likeness(torch_vectors)[0].numpy(), atol=1e-5
)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, line), style in zip(sizes.items(), ("-", "--", "-.")):
    left.semilogy(line, style, label=name)
left.set(xlabel="distance (words)", ylabel="size of the gradient", title="Gradient by distance, untrained")
left.legend()
for (name, line), style in zip(milliseconds.items(), ("o-", "s--")):
    right.loglog(text_lengths, line, style, label=name)
right.set(xlabel="words", ylabel="time (ms)", xticks=text_lengths, xticklabels=text_lengths)
right.set_title("Time to read a text once")
right.minorticks_off()
right.legend()
plt.show()

# %% [markdown]
# On the left are the gradients of the table at every distance: those of both recurrent networks fall (the
# axis is logarithmic), and that of attention stays level. On the right, the loop's time grows in
# proportion to the text. The two products of attention take less time at first and grow faster, so with
# one processor and a long text the lead gets smaller. A GPU can compute thousands of products at once, so
# there the lead of attention should be larger. (We have not measured it.)
#
# ## Digits backwards
#
# In the task of the phone number two networks share the work (Sutskever et al. 2014). Here the *encoder*
# reads the digits, and its last state is all that the *decoder* gets. The decoder writes digit by digit,
# and reads each digit that it wrote as its next input. While it learns, it reads the right digit instead
# of its own, which is called *teacher forcing*. The last state is a bottleneck, because it has as many
# numbers for six digits as for two.


# %%
N_SYMBOLS = 10  # the digits
START = 10  # what the decoder reads before its first digit


def reversals(batch_size, n, generator):
    """Random digits (B, n) and the same backwards (B, n)."""
    x = torch.randint(N_SYMBOLS, (batch_size, n), generator=generator)
    return x, x.flip(1)


class Bottleneck(nn.Module):
    """A GRU reads digits (B, S), another one writes digits (B, T) from the last state of the first."""

    def __init__(self, n_hidden, n_embedding=16):
        super().__init__()
        self.embed = nn.Embedding(N_SYMBOLS + 1, n_embedding)
        self.encoder = nn.GRU(n_embedding, n_hidden, batch_first=True)
        self.decoder = nn.GRU(n_embedding, n_hidden, batch_first=True)
        self.read_out = nn.Linear(self.seen_by_read_out(n_hidden), N_SYMBOLS)

    def seen_by_read_out(self, n_hidden):
        """How many numbers the read-out gets for each digit."""
        return n_hidden

    def encode(self, x):
        """All states of the encoder (B, S, H), and the last one (1, B, H)."""
        return self.encoder(self.embed(x))

    def decode(self, states, h, previous):
        """Logits (B, T, 10) after the digits `previous` (B, T), the new h, and attention weights or None."""
        hidden, h = self.decoder(self.embed(previous), h)  # (B, T, H)
        return self.read_out(hidden), h, None

    def forward(self, x, y):
        """Logits (B, T, 10) with the right digits y (B, T) read along: teacher forcing."""
        states, h = self.encode(x)
        start = torch.full_like(y[:, :1], START)
        logits, _, _ = self.decode(states, h, torch.cat([start, y[:, :-1]], dim=1))
        return logits


# %% [markdown]
# ## Additive attention
#
# Now keep all states $k_1, \dots, k_S$ of the encoder. Before the decoder answers, its state $q$ is
# compared with each of them by a small network with one hidden layer. Softmax turns these scores into
# weights, which are positive and sum to one, and the average of the states with these weights, the
# *context*, is laid beside $q$ (Bahdanau et al. 2015):
#
# $$\begin{aligned}
#   z_s &= v \cdot \tanh(W q + U k_s) && \text{score of state } s \\
#   w &= \operatorname{softmax}(z) && \text{weights} \\
#   c &= \textstyle\sum_s w_s k_s && \text{context}
# \end{aligned}$$


# %%
def additive_attention(query, keys, weight_q, weight_k, v):
    """Bahdanau's attention, one pair at a time: contexts (T, H) and weights (T, S).

    query: (T, H) are the states q, keys: (S, H) the states k; weight_q and weight_k: (A, H), v: (A,).
    """
    contexts = []
    all_weights = []
    for q in query:
        scores = np.array([v @ np.tanh(weight_q @ q + weight_k @ k) for k in keys])  # (A, H) @ (H,) -> (A,)
        exps = np.exp(scores - scores.max())
        weights = exps / exps.sum()  # (S,)
        contexts.append(weights @ keys)  # (S,) @ (S, H) -> (H,)
        all_weights.append(weights)
    return np.array(contexts), np.array(all_weights)


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


class Attentive(Bottleneck):
    """The same, but the read-out also gets a context: an average of all encoder states for each digit."""

    def __init__(self, n_hidden, n_embedding=16):
        super().__init__(n_hidden, n_embedding)
        self.attention = AdditiveAttention(n_hidden)

    def seen_by_read_out(self, n_hidden):
        return 2 * n_hidden  # the decoder's state and the context

    def decode(self, states, h, previous):
        hidden, h = self.decoder(self.embed(previous), h)  # (B, T, H)
        context, weights = self.attention(hidden, states)  # (B, T, H), (B, T, S)
        return self.read_out(torch.cat([hidden, context], dim=-1)), h, weights


# %%
layer = AdditiveAttention(4).double()
layer_weights = [parameter.detach().numpy() for parameter in layer.parameters()]
decoder_states = rng.normal(size=(2, 3, 4))  # (B, T, H)
encoder_states = rng.normal(size=(2, 5, 4))  # (B, S, H)
contexts, alignments = layer(torch.from_numpy(decoder_states), torch.from_numpy(encoder_states))
for b in range(2):
    found = additive_attention(decoder_states[b], encoder_states[b], *layer_weights[:2], layer_weights[2][0])
    for ours, theirs in zip(found, (contexts[b], alignments[b]), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
print(f"context {tuple(contexts.shape)}, weights {tuple(alignments.shape)}")

# %% [markdown]
# The loops and the module agree. (Bahdanau's decoder looks before its step and takes the context in. Ours
# looks after it, as in Luong et al. 2015, so that all steps of a teacher-forced answer are one product.)
#
# ## What limits the bottleneck?
#
# We train three networks on strings of two to six digits: a bottleneck of 4 numbers, one of 32, and one of
# 32 with attention. All get the same batches and the same learning rate, which falls to zero. If the
# bottleneck loses digits, two things can be the reason: the state is too small for them, or the network
# has not yet learned to use it. So we look twice, after a quarter of the training and at its end. The
# measure is the share of right digits when the network reads its own; guessing gives a tenth.


# %%
@torch.no_grad()
def answer(model, x):
    """What the model writes for x (B, S), reading its own digits, (B, S); the weights (B, S, S) or None."""
    states, h = model.encode(x)
    previous = torch.full_like(x[:, :1], START)
    written = []
    looked = []
    for _ in range(x.shape[1]):
        logits, h, weights = model.decode(states, h, previous)
        previous = logits.argmax(dim=-1)  # (B, 1)
        written.append(previous)
        looked.append(weights)
    return torch.cat(written, dim=1), None if looked[0] is None else torch.cat(looked, dim=1)


def share_right(model, length):
    """Share of right digits of 200 test strings of this length."""
    x, y = reversals(200, length, torch.Generator().manual_seed(99))
    written, _ = answer(model, x)
    return (written == y).float().mean().item()


# %%
LONGEST = 6  # digits in training
N_STEPS = 1600
NARROW = 4  # numbers in the small state
WIDE = 32  # numbers in the large one
test_lengths = [2, 3, 4, 5, 6, 8, 10, 12]


def train(model, seed):
    """Train on strings of 2 to LONGEST digits; shares right by test length, at a quarter and at the end."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=N_STEPS)
    shares = []
    for step in range(1, N_STEPS + 1):
        length = int(torch.randint(2, LONGEST + 1, (), generator=generator))
        x, y = reversals(64, length, generator)
        loss = F.cross_entropy(model(x, y).flatten(0, 1), y.flatten())  # (B * T, 10), (B * T,)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step in (N_STEPS // 4, N_STEPS):
            shares.append([share_right(model, length) for length in test_lengths])
            print(f"    step {step:5d}   loss {loss.item():.4f} nats")
    return np.array(shares)  # (2, lengths)


makers = {
    f"bottleneck of {NARROW}": (Bottleneck, NARROW),
    f"bottleneck of {WIDE}": (Bottleneck, WIDE),
    f"attention, {WIDE}": (Attentive, WIDE),
}
models = {}
accuracy = {}
for name, (network, n_hidden) in makers.items():
    print(name)
    torch.manual_seed(0)
    models[name] = network(n_hidden)
    accuracy[name] = train(models[name], seed=0)  # (2, lengths)

# %%
narrow, wide, attentive_name = models
for when, moment in enumerate(("after a quarter of the training", "at the end")):
    print(f"\n{'digits, ' + moment:36s}" + "".join(f"{length:8d}" for length in test_lengths))
    for name, shares in accuracy.items():
        print(f"{name:36s}" + "".join(f"{share:8.2f}" for share in shares[when]))

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for when, (ax, moment) in enumerate(zip(axes, ("after a quarter of the training", "at the end"))):
    for (name, shares), style in zip(accuracy.items(), ("o-", "s--", "^-.")):
        ax.plot(test_lengths, shares[when], style, label=name)
    ax.axvspan(2, LONGEST, color="0.93", zorder=0)
    ax.axhline(1 / N_SYMBOLS, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="digits (grey: trained lengths)", title=f"Digits recalled, {moment}", ylim=(0, 1.05))
axes[0].set_ylabel("share of right digits")
axes[1].legend(loc="upper right")
plt.show()

# %% [markdown]
# After a quarter of the training (left) both bottlenecks lose digits as the strings get longer. If we
# stopped here we would say that 32 numbers cannot hold six digits. At the end (right) they do hold nearly
# all of them, so what was missing was training. The network with 4 numbers has learned more, too, but
# after exactly the same training it still loses about half of the six digits. (From four other starts it
# lost between four and seven digits of ten.) So here the size makes the difference: that of the state, and
# of the two networks that read and write it. With attention the network recalls its strings earlier. (From
# three other starts, too: after the quarter it recalled about 0.9 of six digits, and the bottleneck of 32
# about 0.7.) Beyond the trained lengths all three lose digits, the attentive one, too, perhaps because it
# has learned to find the right state on short strings only.
#
# ## Where it looks
#
# Attention weights can be read. For every digit that is written, which state got how much? The digits are
# written from the last to the first, so what pattern do you expect?

# %%
test_x, _ = reversals(200, LONGEST, torch.Generator().manual_seed(99))
test_written, test_weights = answer(models[attentive_name], test_x)  # (200, 6), (200, 6, 6)
backwards = torch.arange(LONGEST - 1, -1, -1)  # (6,): where the digit to be written was read
on_average = (test_weights.mean(dim=0).argmax(dim=-1) - backwards).abs()  # (6,): places off

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, weights, title in (
    (left, test_weights[0], "Weights for one string"),
    (right, test_weights.mean(dim=0), "Mean weights of 200 strings"),
):
    image = ax.imshow(weights.numpy(), cmap="viridis", vmin=0, vmax=1)
    ax.plot(backwards.numpy(), range(LONGEST), ".", color="white")
    ax.set(xlabel="place of the digit read", ylabel="place of the digit written", title=title)
    ax.set(xticks=range(LONGEST), yticks=range(LONGEST))
left.set(xticklabels=test_x[0].tolist(), yticklabels=test_written[0].tolist())
left.set(xlabel="digit read", ylabel="digit written")
fig.colorbar(image, ax=(left, right), label="weight")
plt.show()

# %% [markdown]
# Each row is a digit that is written, and the white dots mark the place where that digit was read. The
# weights follow the dots from the last place to the first. After the first row they stand one place later
# than the dots, which does no harm, since a state can also remember the digit before its own. Nobody told
# the network where to look, and it learned that from right and wrong answers.
#
# ## A dictionary that answers to anything
#
# Attention can be understood without any network, as a way to look something up. A Python dictionary
# compares a *query* with its *keys*, finds the one that is equal, and returns the *value* of that key.
# Attention is the soft version, which compares the query with all keys, and returns an average of all
# values, weighted by how well each key fits. Unlike the dictionary it has a gradient, so a network can
# learn what to ask. In our example the keys are directions, one for each member of a ship's crew, and the
# values are their pay. We ask with the direction of the mate. Before softmax the scores are multiplied by
# a number, the sharpness.


# %%
def soft_look_up(query, keys, values, sharpness):
    """The average of values (S, n), weighted by softmax of sharpness times keys (S, d) @ query (d,)."""
    scores = sharpness * keys @ query  # (S, d) @ (d,) -> (S,)
    exps = np.exp(scores - scores.max())
    return exps @ values / exps.sum()  # (S,) @ (S, n) -> (n,)


crew = {"captain": [1.0, 0.0], "mate": [0.6, 0.8], "cook": [-1.0, 0.0]}  # directions, of length one
crew_keys = np.array(list(crew.values()))  # (3, 2)
pay = np.array([[100.0], [50.0], [20.0]])  # (3, 1)
for sharpness in (0, 1, 10, 100):
    found_pay = soft_look_up(np.array(crew["mate"]), crew_keys, pay, sharpness).item()
    print(f"sharpness {sharpness:3d}: the mate earns {found_pay:.2f}")

# %% [markdown]
# With sharpness zero the answer is the mean of all values, and the sharper the softmax, the closer it
# comes to the dictionary's answer. Lesson 12.2 takes these three, query, key and value, leaves out the
# recurrence, and lets every word of a text look at every other.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
for name in ("RNN", "GRU"):
    assert sizes[name][30] < 1e-3 * sizes[name][1], "at distance 30 hardly anything is left of it"
    assert sizes[name][63] < 1e-6 * sizes[name][1], "a recurrent gradient falls by many powers of ten"
assert 1 / 3 < sizes["attention"][63] / sizes["attention"][1] < 3, "the gradient of attention stays level"
six = test_lengths.index(LONGEST)
for name in (narrow, wide):
    quarter = accuracy[name][0]  # (lengths,)
    assert quarter[six] < quarter[0] - 0.1, "after a quarter both bottlenecks lose digits of longer strings"
assert accuracy[wide][0, six] < 0.9, "after a quarter of the training 32 numbers lose some of six digits"
assert accuracy[wide][1, six] > 0.93, "at the end 32 numbers hold nearly all of six digits"
assert accuracy[narrow][1, six] > accuracy[narrow][0, six], "4 numbers learn more with more training, too"
assert 0.25 < accuracy[narrow][1, six] < 0.65, "after the same training 4 numbers lose about half"
assert accuracy[attentive_name][0, six] > accuracy[wide][0, six], "attention recalls its strings earlier"
assert on_average.max() <= 1, "on average the weights lie at most one place beside the right digit"
assert abs(found_pay - 50) < 1e-6, "a sharp soft look-up gives the dictionary's answer"

# %% [markdown]
# ## What to remember
#
# - In a loop the path between two words grows with their distance; with attention it is one step.
# - The steps of a loop wait for each other. Those of attention do not, but on a long text it does more
#   arithmetic.
# - A single state between reading and writing is a bottleneck. How much it holds depends on its size and
#   on how long it has been trained, so train to the end before you call it too small.
# - Attention keeps all states and learns where to look. It is a dictionary that compares softly and has a
#   gradient: query, keys, values.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Ask for the digits in their own order: in `reversals`, return `x, x.clone()`. Which pattern will the
#    weights in the third figure show?
# 2. Set `NARROW = 16`. Where will its curve lie at the end, in the right panel of the second figure?
# 3. From a blank cell at the end: write `dot_attention(query, keys)`, which scores by the plain dot product
#    $q \cdot k_s$, for batches as in `AdditiveAttention`. Compare it with
#    `F.scaled_dot_product_attention(query, keys, keys, scale=1.0)` on random tensors.
#
# ## Sources
#
# - D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and
#   translate", ICLR 2015, sections 3 and 5: additive attention, and weights that find the right place.
#   Reproduced: "on average the weights lie at most one place beside the right digit".
# - I. Sutskever, O. Vinyals, Q. V. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014:
#   encoder and decoder.
# - M.-T. Luong, H. Pham, C. D. Manning, "Effective approaches to attention-based neural machine
#   translation", EMNLP 2015: to look after the step.
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, table 1: path lengths. Reproduced:
#   test_rounds_to_reach_on_paths_counted_by_hand.
