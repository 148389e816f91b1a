# %% [markdown]
# # 12.8 A language model: predict the next token, then the next
#
# Two friends tell a story together, one word each in turn. Neither knows the end, and each looks at all
# that has been said and adds what fits. A network that plays this game with itself is a *language model*:
# it gives a probability to every possible next token, one is drawn, and the longer text goes back in. Chat
# assistants and programs that complete code are language models. In lesson 11.6 the language model was a
# recurrent network. Now it is made of the blocks of this chapter.
#
# **You will build** a causal Transformer that invents first names, with counting as the bar to pass, and
# look at what it expects, letter by letter. Then an LSTM gets the same names, and the same code reads a
# book in tokens, and writes without reading its own text again for every token. **You need** the block
# (12.5), the causal mask (12.2), positions (12.4), tokens (12.6), n-grams and sampling (11.6), LSTMs (11.4)
# and AdamW (7.2). **It takes** a little over a minute.

# %%
import math
import re
import time
from collections import Counter, defaultdict
from itertools import islice
from operator import add
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
on_cpu = device.type == "cpu"

# %% [markdown]
# ## On paper first
#
# A model reads the name _ada_ letter by letter, and the end of a name, written `>`, counts as a letter. Its
# probabilities for what comes next are $\frac18, \frac1{16}, \frac12, \frac14$. The probability of the whole
# name is their product. Logarithms turn it into a sum, and with base 2 the unit is the *bit*:
#
# $$\begin{aligned}
#   p(\text{ada>}) &= \tfrac18 \cdot \tfrac1{16} \cdot \tfrac12 \cdot \tfrac14 = \tfrac1{1024} \\
#   -\log_2 p(\text{ada>}) &= 3 + 4 + 1 + 2 = 10 \text{ bits} \\
#   \text{per letter} &= 10 / 4 = 2.5 \text{ bits}
# \end{aligned}$$
#
# Fewer bits per letter mean better predictions, and a model that knows nothing, which gives each of 27
# letters the same probability, needs $\log_2 27 = 4.75$ bits. That is also what an untrained network
# should need.

# %%
paper_bits = [-math.log2(p) for p in (1 / 8, 1 / 16, 1 / 2, 1 / 4)]
print(f"bits {paper_bits}, per letter {np.mean(paper_bits)}; knowing nothing {math.log2(27):.2f}")
assert np.mean(paper_bits) == 2.5

# %% [markdown]
# ## Names
#
# We shuffle 8,403 English first names, and take 800 for the test, 800 for validation and the rest to
# learn from. Position $t$ reads the letters up to $t$ and predicts the next one, so every letter is a
# training example. The input begins with a start sign, the answer ends with an end sign (both have the
# number 0), and behind the end the answers are marked with $-100$, which `F.cross_entropy` leaves out.
# (For names of your own, change the path: one name in each line, letters from a to z.)


# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
if len(names) <= 1600:
    raise ValueError(f"{len(names)} names are too few, 1,600 are for validation and test")
shuffled_names = [names[i] for i in np.random.default_rng(0).permutation(len(names))]
test_names, validation_names, train_names = (
    shuffled_names[:800],
    shuffled_names[800:1600],
    shuffled_names[1600:],
)
N_SYMBOLS = 27  # start and end are 0, a to z are 1 to 26
N_PLACES = max(map(len, names)) + 1
SYMBOLS = ">abcdefghijklmnopqrstuvwxyz"


def codes_of(text):
    """The numbers of a text's letters; raises ValueError if it is too long or has others than a to z."""
    if len(text) >= N_PLACES or not set(text) <= set(SYMBOLS[1:]):
        raise ValueError(f"expected at most {N_PLACES - 1} letters a to z, got {text!r}")
    return [SYMBOLS.index(letter) for letter in text]


def name_codes(names):
    """Inputs x and answers y, (n, N_PLACES) each; y is -100 behind the end."""
    x = torch.zeros(len(names), N_PLACES, dtype=torch.long)
    y = torch.full((len(names), N_PLACES), -100)
    for i, name in enumerate(names):
        codes = torch.tensor([*codes_of(name), 0])  # the end, too
        x[i, 1 : len(name) + 1] = codes[:-1]
        y[i, : len(name) + 1] = codes
    return x, y


train_x, train_y = name_codes(train_names)
print(f"{len(train_names)} names to learn from; the input of {test_names[0]}:")
print(name_codes(test_names[:1])[0].tolist()[0])

# %% [markdown]
# ## What counting achieves
#
# The bar to pass is counting (11.6), in which an n-gram model of order $n$ counts which letter follows
# each run of $n - 1$ letters. If a run is rare it mixes in what the shorter runs say. How many letters
# should it look at?


# %%
class NGram:
    """Interpolated n-grams of letters (Witten and Bell 1991; lesson 11.6), `order` letters at a time."""

    def __init__(self, names, order):
        self.order = order
        self.counts = defaultdict(Counter)  # context -> how often each letter followed
        for name in names:
            padded = "<" * (order - 1) + name + ">"
            for i in range(order - 1, len(padded)):
                for n in range(order):
                    self.counts[padded[i - n : i]][padded[i]] += 1

    def probabilities(self, text):
        """Probability of each symbol after the text: (27,)."""
        context = "<" * (self.order - 1) + text
        p = np.full(N_SYMBOLS, 1 / N_SYMBOLS)
        for n in range(self.order):
            counter = self.counts.get(context[len(context) - n :])
            if counter is None:
                break  # longer contexts have not been seen either
            seen = np.array([counter[symbol] for symbol in SYMBOLS])
            p = (seen + len(counter) * p) / (seen.sum() + len(counter))
        return p

    def bits(self, names):
        """Mean bits per letter of names, their ends included."""
        costs = []
        for name in names:
            for i, code in enumerate([*codes_of(name), 0]):
                costs.append(-math.log2(self.probabilities(name[:i])[code]))
        return np.mean(costs)


letter_bits = {}  # on the test names
for order in (1, 2, 3, 4, 5):
    letter_bits[f"{order}-grams, counted"] = NGram(train_names, order).bits(test_names)
    print(f"{order}-grams, counted{letter_bits[f'{order}-grams, counted']:12.3f} bits per letter")

# %% [markdown]
# Longer runs help up to the 4-grams, which look at three letters, but in 5-grams most runs are too rare to
# say anything new. (On the validation names the 4-grams are best, too, so it is not the test that chose
# this bar.)
#
# ## The model
#
# The block is that of lesson 12.5, pre-norm, with two changes: it is causal, and GELU (5.2) takes the place
# of ReLU. A causal mask makes a decoder of an encoder block, nothing else.


# %%
class Block(nn.Module):
    """Causal self-attention and feed-forward, pre-norm: (B, T, D) to the same.

    Raises ValueError if n_heads does not divide n_features.
    """

    def __init__(self, n_features, n_heads, dropout=0.0):
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_features} features")
        self.n_heads = n_heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(n_features)
        self.feed_forward_norm = nn.LayerNorm(n_features)
        self.project_in = nn.Linear(n_features, 3 * n_features)  # queries, keys and values
        self.project_out = nn.Linear(n_features, n_features)
        self.feed_forward = nn.Sequential(
            nn.Linear(n_features, 4 * n_features),
            nn.GELU(),
            nn.Linear(4 * n_features, n_features),
            nn.Dropout(dropout),
        )

    def heads(self, x):
        """Queries, keys and values of x, (B, T, D): three tensors (B, H, T, d)."""
        parts = self.project_in(x).unflatten(-1, (3, self.n_heads, -1))  # (B, T, 3D) -> (B, T, 3, H, d)
        return parts.permute(2, 0, 3, 1, 4)  # (B, T, 3, H, d) -> (3, B, H, T, d)

    def join(self, output):
        """The heads' outputs, (B, H, T, d), side by side and mixed: (B, T, D)."""
        return self.project_out(output.transpose(1, 2).flatten(2))  # (B, H, T, d) -> (B, T, D) -> (B, T, D)

    def attend(self, x):
        """Attention of normed x, (B, T, D), to itself, position t to none later: (B, T, D)."""
        query, key, value = self.heads(x)  # (B, H, T, d) each
        dropout = self.dropout if self.training else 0.0
        output = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        return self.join(output)

    def forward(self, x):
        x = x + F.dropout(self.attend(self.attention_norm(x)), self.dropout, self.training)
        return x + self.feed_forward(self.feed_forward_norm(x))


# %% [markdown]
# The whole model: the vector of a token and the vector of its position are added; after the blocks a layer
# norm and a linear layer give a logit for each token that may come next.


# %%
class LanguageModel(nn.Module):
    """From tokens x, (B, T), to logits for each next token, (B, T, vocabulary)."""

    def __init__(self, vocabulary, n_features, n_blocks, n_heads, n_positions, dropout=0.0):
        super().__init__()
        self.token = nn.Embedding(vocabulary, n_features)
        self.position = nn.Embedding(n_positions, n_features)
        self.blocks = nn.ModuleList(Block(n_features, n_heads, dropout) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(n_features)
        self.head = nn.Linear(n_features, vocabulary)
        self.n_positions = n_positions
        nn.init.normal_(self.position.weight, std=0.1)  # so that the token is the larger part

    def embed(self, x, start=0):
        """Vectors (B, T, D) of tokens x, (B, T), the first at position `start`.

        Raises ValueError if positions run out.
        """
        stop = start + x.shape[1]
        if stop > self.n_positions:
            raise ValueError(f"x of shape {tuple(x.shape)} after {start} of {self.n_positions} positions")
        return self.token(x) + self.position.weight[start:stop]  # (B, T) -> (B, T, D) + (T, D) -> (B, T, D)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))  # (B, T, D) @ (D, vocabulary) -> (B, T, vocabulary)


# %% [markdown]
# Each position predicts what comes next, and that is only honest if it cannot see it. We change the sixth of
# nine tokens and look which predictions change.

# %%
probe = LanguageModel(N_SYMBOLS, 16, 2, 4, 9).double().eval()
probe_x = torch.randint(N_SYMBOLS, (1, 9))
probe_changed = probe_x.clone()
probe_changed[0, 5] = (probe_x[0, 5] + 1) % N_SYMBOLS
moved = (probe(probe_x) - probe(probe_changed)).abs().amax(dim=-1)[0] > 1e-12  # (T,)
print("predictions that changed, at positions", moved.nonzero().flatten().tolist())
assert moved.tolist() == [False] * 5 + [True] * 4

# %% [markdown]
# Only the predictions from position 5 on change, so nothing leaks to earlier ones.
#
# ## The same in PyTorch
#
# The argument `is_causal=True` stands for a triangle of $-\infty$ (12.2), and
# `nn.TransformerEncoderLayer` becomes our block once it gets such a causal mask. We give both the same
# weights in float64, and compare outputs and gradients.


# %%
def causal_attention(query, key, value):
    """Attention in which position t sees positions 0 to t; query, key, value and the result: (B, H, T, d)."""
    n, d = query.shape[-2:]
    scores = query @ key.mT / math.sqrt(d)  # (B, H, T, d) @ (B, H, d, T) -> (B, H, T, T)
    may_attend = torch.ones(n, n, dtype=torch.bool, device=query.device).tril()  # (T, T)
    weights = scores.masked_fill(~may_attend, -math.inf).softmax(dim=-1)
    return weights @ value  # (B, H, T, T) @ (B, H, T, d) -> (B, H, T, d)


*triple, triple_cotangent = torch.randn(4, 2, 3, 7, 5, dtype=torch.float64)  # (B, H, T, d) each
triple = [part.requires_grad_() for part in triple]
by_hand = causal_attention(*triple)
by_library = F.scaled_dot_product_attention(*triple, is_causal=True)
hand_gradients = torch.autograd.grad((by_hand * triple_cotangent).sum(), triple)
library_gradients = torch.autograd.grad((by_library * triple_cotangent).sum(), triple)
torch.testing.assert_close(
    (by_hand, *hand_gradients), (by_library, *library_gradients), rtol=1e-10, atol=1e-12
)

our_block = Block(12, 3).double()
torch_block = nn.TransformerEncoderLayer(
    12, 3, 48, dropout=0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
)
layers = our_block.project_in, our_block.project_out, our_block.feed_forward[0], our_block.feed_forward[2]
layers = *layers, our_block.attention_norm, our_block.feed_forward_norm  # in the order of the library
our_parameters = [parameter for layer in layers for parameter in layer.parameters()]
with torch.no_grad():
    for ours, theirs in zip(our_parameters, torch_block.parameters(), strict=True):
        theirs.copy_(ours.normal_())
block_x, block_cotangent = torch.randn(2, 4, 9, 12, dtype=torch.float64)  # (B, T, D) each
blocked = ~torch.ones(9, 9, dtype=torch.bool).tril()  # here the library's True means: may not attend
our_out = our_block(block_x)
torch_out = torch_block(block_x, src_mask=blocked, is_causal=True)
our_gradients = torch.autograd.grad((our_out * block_cotangent).sum(), our_parameters)
torch_gradients = torch.autograd.grad((torch_out * block_cotangent).sum(), list(torch_block.parameters()))
torch.testing.assert_close((our_out, *our_gradients), (torch_out, *torch_gradients), rtol=1e-10, atol=1e-11)
largest = max((a - b).abs().max().item() for a, b in zip(our_gradients, torch_gradients))
print(f"largest difference of a gradient {largest:.1e}")

# %% [markdown]
# All differences are rounding, so the block and the library's layer compute the same.
#
# ## Training on names
#
# The recipe is that of chapter 7: AdamW with weight decay for matrices, not for biases and norms (7.2),
# clipped gradients (7.5), and a learning rate that warms up and falls along a cosine (7.3). As all names
# fit into one tensor, a batch is drawn by indexing, and cut off behind its longest name. We train from
# three starts. The first loss can be predicted to be 4.75 bits; will the last one be below that of the
# 4-grams?


# %%
def fit(model, batches, n_steps, learning_rate, n_warmup=0):
    """Train on pairs x, y (B, T) from the iterator `batches`; the loss of each step (nats), (n_steps,)."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99), fused=True)

    def share(step):
        """Of the learning rate: a warm-up in a line, and half a cosine."""
        return min(1, (step + 1) / max(1, n_warmup)) * (1 + math.cos(math.pi * step / max(1, n_steps))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    losses = []
    model.train()
    for x, y in islice(batches, n_steps):
        x, y = x.to(device), y.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())  # (B * T, vocabulary), (B * T,)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    return np.array(losses)


# %%
def name_batches(batch_size, seed):
    """Random batches of training names without end: x and y, (B, T) each, T that of the longest name."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        rows = torch.randint(len(train_x), (batch_size,), generator=generator)
        longest = (train_y[rows] != -100).sum(dim=1).max()  # letters and the end
        yield train_x[rows, :longest], train_y[rows, :longest]


def bits_per_letter(model, names):
    """Mean bits per letter of names, their ends included."""
    x, y = name_codes(names)
    model.eval()
    with torch.no_grad():
        loss = F.cross_entropy(model(x.to(device)).flatten(0, 1), y.to(device).flatten())
    return loss.item() / math.log(2)


# %%
SEEDS = (0, 1, 2)


def train_on_names(make_model, batch_size, n_steps):
    """From each of SEEDS a model, its loss (bits per letter) at each step, and its bits on the test names."""
    models = []
    curves = []
    test_bits = []
    print(f"{'seed':8s}{'first loss':>12s}{'training':>12s}{'validation':>12s}{'test':>12s}")
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = make_model().to(device)
        losses = fit(model, name_batches(batch_size, seed), n_steps, 0.006, n_warmup=n_steps // 10)
        models.append(model)
        curves.append(losses / math.log(2))
        parts = train_names[:800], validation_names, test_names
        bits = [bits_per_letter(model, part) for part in parts]
        test_bits.append(bits[-1])
        print(f"{seed:<8d}{curves[-1][0]:12.3f}" + "".join(f"{cost:12.3f}" for cost in bits))
    return models, curves, test_bits


print("bits per letter of the Transformer")
name_models, name_curves, name_bits = train_on_names(
    lambda: LanguageModel(N_SYMBOLS, 64, 2, 4, N_PLACES), batch_size=64, n_steps=800
)

# %%
best_count = min(letter_bits.values())
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for seed, curve, bits in zip(SEEDS, name_curves, name_bits):
    smooth = np.convolve(curve, np.ones(50) / 50, "valid")
    label = "training, mean of 50 steps" if seed == 0 else None
    ax.plot(np.arange(50, len(curve) + 1), smooth, color="C1", linewidth=0.8, label=label)
    label = "test, at the end" if seed == 0 else None
    ax.plot(len(curve), bits, "s", color="C0", markerfacecolor="none", label=label)
for height, style, label in (
    (best_count, "--", "best n-grams, test"),
    (math.log2(27), ":", "knowing nothing"),
):
    ax.axhline(height, color="0.4", linestyle=style, linewidth=0.8, zorder=0, label=label)
ax.set(xlabel="step", ylabel="loss (bits per letter)")
ax.set_title("A Transformer learns to predict the letters of names")
ax.legend()
plt.show()

# %% [markdown]
# The first loss lies a little above that of a model that knows nothing, since the layer norm makes the
# first logits larger. In the end the training loss is well below the best of the counts. The squares, on
# names that the Transformer has not learned from, lie below it from each start, too, but by little: the
# names are few, and counting is a strong opponent.
#
# ## New names
#
# A name is written by drawing one letter after the other, until the end is drawn. Divided by a temperature
# (11.6) below one, the logits differ more, and probable letters become still more probable. Which of the
# columns could be lists of real names?


# %%
def draw_name(probabilities, generator):
    """A new name; probabilities: from a text to the probabilities of the next symbol, (27,)."""
    text = ""
    while len(text) < N_PLACES - 1:
        p = torch.as_tensor(probabilities(text), dtype=torch.float64)  # (27,)
        symbol = SYMBOLS[torch.multinomial(p, 1, generator=generator).item()]
        if symbol == ">":
            break
        text += symbol
    return text


def next_letter(model, text, temperature=1.0):
    """The model's probabilities of the next symbol after a text: (27,)."""
    x = torch.tensor([[0, *codes_of(text)]], device=device)  # (1, T)
    with torch.no_grad():
        logits = model(x)[0, -1].cpu().double()  # (27,)
    return (logits / temperature).softmax(dim=-1)


writer = name_models[0]
writers = {
    "1-grams": NGram(train_names, 1).probabilities,
    "2-grams": NGram(train_names, 2).probabilities,
    "4-grams": NGram(train_names, 4).probabilities,
    "Transformer": lambda text: next_letter(writer, text),
    "at 0.6": lambda text: next_letter(writer, text, temperature=0.6),
}
drawn = {}
known = set(names)
print("".join(f"{name:16s}" for name in writers))
for name, probabilities in writers.items():
    generator = torch.Generator().manual_seed(1)
    drawn[name] = [draw_name(probabilities, generator) for _ in range(200)]
for row in list(zip(*drawn.values()))[:14]:
    print("".join(f"{text or '(empty)':16s}" for text in row))
novel = {name: np.mean([text not in known for text in texts]) for name, texts in drawn.items()}
print("".join(f"{share:<16.0%}" for share in novel.values()) + " are no names of the list")

# %% [markdown]
# The first column has letters as frequent as in real names, in a random order, and counted pairs make the
# next one pronounceable in places. The 4-grams and the Transformer write names that could exist, and most
# of them stand in no list that they have seen. In the last column the temperature is lower, and more of
# the names are real ones.
#
# ## What it expects
#
# We look into the model while it reads a name that it has not learned from. For each position, which
# letters does it hold probable, and where will it be sure?

# %%
shown_name = max(test_names[:200], key=len)
expected = torch.stack([next_letter(writer, shown_name[:i]) for i in range(len(shown_name) + 1)])  # (T, 27)
fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
image = ax.imshow(expected.T.numpy(), cmap="viridis", vmin=0, aspect="auto")
came = [SYMBOLS.index(symbol) for symbol in shown_name + ">"]
ax.plot(range(len(came)), came, "o", color="red", fillstyle="none", label="the letter that came")
ax.set_xticks(range(len(came)), ["start", *shown_name])
ax.set_yticks(range(N_SYMBOLS), list(SYMBOLS), fontsize=8)
ax.set(xlabel="last letter read", ylabel="next letter", title="Probabilities of the next letter")
fig.legend(loc="outside lower right")
fig.colorbar(image, ax=ax, label="probability")
plt.show()
vowels = [SYMBOLS.index(letter) for letter in "aeiouy"]
after_consonant = []
after_vowel = []
for name in test_names:
    with torch.no_grad():
        logits = writer(name_codes([name])[0].to(device))[0]  # (T, 27)
    chances = logits.softmax(dim=-1)[:, vowels].sum(dim=-1)  # (T,)
    for i, letter in enumerate(name):
        (after_vowel if letter in "aeiouy" else after_consonant).append(chances[i + 1].item())
print(f"probability of a vowel after a consonant {np.mean(after_consonant):.2f}", end=", ")
print(f"after a vowel {np.mean(after_vowel):.2f}")

# %% [markdown]
# Each column is a distribution, broadest at the start, where nearly any letter can begin a name, and most
# of the later ones are narrow. The printed means show one thing that the model has learned without being
# told: after a consonant it expects a vowel far more than after a vowel.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert letter_bits["4-grams, counted"] < letter_bits["3-grams, counted"], "longer runs help up to 4-grams"
assert letter_bits["5-grams, counted"] > letter_bits["4-grams, counted"] - 0.02, "5-grams bring no more"
validation_bits = {order: NGram(train_names, order).bits(validation_names) for order in (3, 4, 5)}
assert min(validation_bits, key=validation_bits.get) == 4, "on the validation names 4-grams are best, too"
assert len(name_bits) == 3, "there are three starts"
assert max(name_bits) < best_count, "the Transformer passes the best of the counts"
for curve in name_curves:
    assert abs(curve[0] - math.log2(27)) < 0.6, "the first loss is near that of knowing nothing"
    assert curve[-100:].mean() < min(name_bits) - 0.1, "on new names it is worse than on those learned from"
assert novel["Transformer"] > 0.5, "most names of the Transformer are new"
assert novel["at 0.6"] < novel["Transformer"], "a lower temperature repeats more real names"
spread = -(expected * expected.log2()).sum(dim=1)  # (T,): the entropy of each column, in bits
assert spread.argmax() == 0, "it is least sure of the first letter"
assert np.mean(after_consonant) > 2 * np.mean(after_vowel), "after a consonant it expects a vowel"

# %% [markdown]
# ## Going further
#
# This can be skipped: an LSTM on the same names, the same code on a book in tokens, and how large models
# write quickly.
#
# ### An LSTM on the same names
#
# Does it need attention? The control is an LSTM (11.4), the network for sequences from the last chapter,
# with a learning rate, a dropout and a number of steps that suited it on the validation names.


# %%
class RecurrentModel(nn.Module):
    """From tokens (B, T) to logits (B, T, vocabulary) through one LSTM."""

    def __init__(self, vocabulary, n_features, dropout):
        super().__init__()
        self.token = nn.Embedding(vocabulary, n_features)
        self.lstm = nn.LSTM(n_features, n_features, batch_first=True)
        self.head = nn.Linear(n_features, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        hiddens, _ = self.lstm(self.dropout(self.token(x)))  # (B, T) -> (B, T, D) -> (B, T, D)
        return self.head(self.dropout(hiddens))  # (B, T, D) -> (B, T, vocabulary)


print("bits per letter of the LSTM")
lstm_models, lstm_curves, lstm_bits = train_on_names(
    lambda: RecurrentModel(N_SYMBOLS, 128, dropout=0.2), batch_size=64, n_steps=600
)

# %% [markdown]
# The LSTM is about level with the counts, and between the two networks there is hardly a difference here.
# One reason may be that a Transformer has to learn even that the last letter matters most, while an LSTM
# is built that way. Another may be that names are short, because attention is at its best where the way
# back is long (12.1). (The Transformer's learning rate is not quite its best: from the first start, twice
# the rate gave 0.02 bits less on the validation names, and four times the rate 0.01 bits more.)
#
# ### A book in tokens
#
# Now the text is _Moby-Dick_, cut into 1,024 different tokens (12.6). Losses with different tokens cannot
# be compared, because one model pays five bits for _whale_ as a single token, another one bit for each of
# its five letters. So we divide by what does not depend on the cutting, the *bits per byte* of text. The
# merges are learned from the first nine tenths, by a short form of lesson 12.6's training. It merges a
# most frequent pair each time, but among equally frequent pairs it may take another one than lesson 12.6,
# so late merges differ, and it stops if no pair is left. (For a text of your own, change the path.)


# %%
CHUNK = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")
BETWEEN = chr(0x10FFFF)  # stands between chunks, so that no merge reaches across


def learn_merges(text, vocab_size):
    """The merges of byte-pair encoding (12.6): strings of two tokens, in the order learned.

    They are fewer than vocab_size - 256 if every chunk is one token before.
    """
    chunks = Counter(CHUNK.findall(text))
    words = [chunk.encode("utf-8").decode("latin-1") for chunk in chunks]  # one character per token
    weights = list(chunks.values())
    counts = defaultdict(int)
    where = defaultdict(set)  # in which words a pair may occur
    merges = []
    for k, word in enumerate(words):
        for pair in map(add, word, word[1:]):
            counts[pair] += weights[k]
            where[pair].add(k)
    for token in map(chr, range(256, vocab_size)):
        pair = max(counts, key=counts.get, default=None)
        if pair is None or counts[pair] == 0:
            break
        merges.append(pair)
        for k in where.pop(pair):
            for old in map(add, words[k], words[k][1:]):
                counts[old] -= weights[k]
            words[k] = words[k].replace(pair, token)
            for new in map(add, words[k], words[k][1:]):
                counts[new] += weights[k]
                where[new].add(k)
    return merges


# %%
def encode(text, merges):
    """The tokens of a text, numbers from 0 to 255 + len(merges): each merge everywhere, in their order."""
    symbols = BETWEEN.join(chunk.encode("utf-8").decode("latin-1") for chunk in CHUNK.findall(text))
    for token, pair in enumerate(merges, start=256):
        symbols = symbols.replace(pair, chr(token))
    return [ord(symbol) for symbol in symbols if symbol != BETWEEN]


def decode(tokens, merges):
    """The text of a sequence of tokens; bytes that are no valid UTF-8 become "�"."""
    spelled = [chr(byte) for byte in range(256)]
    for left, right in merges:
        spelled.append(spelled[ord(left)] + spelled[ord(right)])
    return "".join(spelled[token] for token in tokens).encode("latin-1").decode("utf-8", "replace")


# %%
text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
if len(text) < 10_000:
    raise ValueError(f"a text of {len(text)} characters is too short, use 10,000 or more")
n_train = len(text) * 9 // 10
train_text, test_text = text[:n_train], text[n_train:]
merges = learn_merges(train_text, 1024)
vocabulary = 256 + len(merges)
train_tokens = torch.tensor(encode(train_text, merges))  # (n,)
test_tokens = torch.tensor(encode(test_text, merges))
n_test_bytes = len(test_text.encode("utf-8"))
assert decode(test_tokens, merges) == test_text
print(f"{len(train_tokens):,} tokens to learn from, {len(test_tokens):,} for the test")

# %% [markdown]
# Counting on such a text needs arrays in place of dictionaries (11.6).


# %%
def look_up(sorted_keys, values, wanted):
    """values at the places of `wanted` among `sorted_keys`, 0 where it is not there: (len(wanted),)."""
    place = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == wanted, values[place], 0)


def ngram_bits(train_codes, test_codes, order, vocabulary):
    """Mean bits per code of interpolated n-grams (Witten and Bell 1991; lesson 11.6); codes: integers, (n,).

    Raises ValueError if a run of `order` codes does not fit into a 64-bit integer.
    """
    if vocabulary**order > 2**63:
        raise ValueError(f"runs of {order} codes out of {vocabulary} do not fit into 64 bits")
    probability = np.full(len(test_codes) - order + 1, 1 / vocabulary)
    for n in range(1, order + 1):
        place = vocabulary ** np.arange(n)[::-1]  # a run of n codes becomes one number
        runs = np.lib.stride_tricks.sliding_window_view(train_codes, n) @ place  # (windows, n) @ (n,)
        test_runs = np.lib.stride_tricks.sliding_window_view(test_codes[order - n :], n) @ place
        kinds, counts = np.unique(runs, return_counts=True)
        contexts, first = np.unique(kinds // vocabulary, return_index=True)
        totals = np.add.reduceat(counts, first)
        different = np.diff(first, append=len(kinds))
        seen = look_up(kinds, counts, test_runs)
        total = look_up(contexts, totals, test_runs // vocabulary)
        weight = np.maximum(look_up(contexts, different, test_runs // vocabulary), 1)
        probability = (seen + weight * probability) / (total + weight)
    return -np.log2(probability).mean()


book_characters = sorted(set(text))
book_codes = np.searchsorted(book_characters, list(text))  # (n,)
byte_bits = {}
for order in (3, 5):
    bits = ngram_bits(book_codes[:n_train], book_codes[n_train:], order, len(book_characters))
    byte_bits[f"{order} characters, counted"] = bits * len(test_text) / n_test_bytes
bits = ngram_bits(train_tokens.numpy(), test_tokens.numpy(), 2, vocabulary)
byte_bits["2 tokens, counted"] = bits * len(test_tokens) / n_test_bytes
for name, cost in byte_bits.items():
    print(f"{name:24s}{cost:.3f} bits per byte")

# %% [markdown]
# ### What each idea buys
#
# A recipe for training consists of many ideas, and papers rarely say what each one is worth. On the book
# we begin with all weights as small as in GPT-2, normal with a spread of $0.02$, and add one idea at a
# time:
#
# 1. _Linear layers at $1/\sqrt{\text{width}}$_, so that a layer keeps the size of its input (6.5).
# 2. _Tokens of size one_: the token's vector is multiplied by 50, and positions are a tenth of that.
# 3. _The output's bias at the log of the token frequencies_, so that what can be counted need not be
#    learned.
# 4. _Warm-up_ of the learning rate (7.3).
# 5. _Tying_: the table that reads tokens also scores them (Press and Wolf 2017), which saves parameters.
#
# The training is short on a CPU, and longer on a GPU, and a part of the last tenth is enough to compare.
# Which idea will be worth most?


# %%
counts = torch.bincount(train_tokens, minlength=vocabulary) + 1
log_frequencies = (counts / counts.sum()).log()  # (vocabulary,)
entropy = -(log_frequencies.exp() * log_frequencies).sum().item()
IDEAS = ("wide linear layers", "tokens of size one", "output bias", "warm-up", "tying")


class ScaledModel(LanguageModel):
    """A `LanguageModel` whose vectors of tokens and positions are multiplied by `scale`."""

    scale = 1.0

    def embed(self, x, start=0):
        return self.scale * super().embed(x, start)


def build(n_features, ideas, n_blocks, n_heads, n_positions, dropout=0.0):
    """A model of the book with the ideas of IDEAS named in `ideas`, on the device (warm-up is for `fit`)."""
    model = ScaledModel(vocabulary, n_features, n_blocks, n_heads, n_positions, dropout)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(std=0.02)
            if isinstance(module, nn.Linear):
                module.bias.zero_()
        if "wide linear layers" in ideas:
            for module in model.blocks.modules():
                if isinstance(module, nn.Linear):
                    module.weight.normal_(std=1 / math.sqrt(module.in_features))
        if "tokens of size one" in ideas:
            model.scale = 50.0
            model.position.weight *= 0.1
        if "output bias" in ideas:
            model.head.bias.copy_(log_frequencies)
        if "tying" in ideas:
            model.head.weight = model.token.weight
    return model.to(device)


# %%
def windows(batch_size, n_positions):
    """Random windows of the book without end: x and y, (B, T) each, y one token later.

    Raises ValueError if the book is not longer than a window.
    """
    if len(train_tokens) <= n_positions:
        raise ValueError(f"{len(train_tokens)} tokens are too few for windows of {n_positions}")
    generator = torch.Generator().manual_seed(0)
    while True:
        starts = torch.randint(len(train_tokens) - n_positions, (batch_size, 1), generator=generator)
        window = train_tokens[starts + torch.arange(n_positions + 1)]  # (B, T + 1)
        yield window[:, :-1], window[:, 1:]


def bits_per_byte(model, n_positions, most=None, batch_size=64):
    """On the last tenth of the book, in windows that each begin without context, the first `most` or all.

    Raises ValueError if the text is shorter than a window.
    """
    n_windows = (len(test_tokens) - 1) // n_positions
    if n_windows == 0:
        raise ValueError(f"{len(test_tokens)} test tokens are too few for a window of {n_positions}")
    n_windows = min(n_windows, most or n_windows)
    x = test_tokens[: n_windows * n_positions].view(n_windows, -1)  # (windows, T)
    y = test_tokens[1 : n_windows * n_positions + 1].view(n_windows, -1)
    nats = 0.0
    model.eval()
    with torch.no_grad():
        for xs, ys in zip(x.split(batch_size), y.split(batch_size)):
            logits = model(xs.to(device)).flatten(0, 1)  # (B * T, vocabulary)
            nats += F.cross_entropy(logits, ys.to(device).flatten(), reduction="sum").item()
    return nats / y.numel() * len(test_tokens) / n_test_bytes / math.log(2)


# %%
if on_cpu:
    width, book_size, batch_size, learning_rate, n_steps = 64, (2, 4, 64, 0.0), 8, 0.006, 120
else:
    width, book_size, batch_size, learning_rate, n_steps = 384, (6, 6, 256, 0.2), 64, 0.002, 2000
log = {}
first_losses = {}
print(f"{'':24s}{'parameters':>12s}{'first loss':>12s}{'bits/byte':>12s}{'gain':>10s}")
for k in range(len(IDEAS) + 1):
    torch.manual_seed(0)
    model = build(width, IDEAS[:k], *book_size)
    n_warmup = n_steps // 10 if "warm-up" in IDEAS[:k] else 0
    losses = fit(
        model, windows(batch_size, book_size[2]), n_steps if on_cpu else 300, learning_rate, n_warmup
    )
    name = IDEAS[k - 1] if k else "nothing"
    log[name] = bits_per_byte(model, book_size[2], most=128)
    first_losses[name] = losses[0]
    gain = f"{list(log.values())[-2] - log[name]:10.3f}" if k else ""
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name:24s}{n_parameters:12,d}{losses[0]:12.3f}{log[name]:12.3f}{gain}")
print(f"ln V {math.log(vocabulary):.3f}, entropy of the frequencies {entropy:.3f} nats")

# %% [markdown]
# At this size and for so short a training, one idea is worth most: tokens of size one. A small vector of a
# token is perhaps lost beside the output of the first block. Starting from what can be counted helps a
# little more. Tying costs here, perhaps because one table must serve two purposes. The lesson has one
# start; two others, with other windows of the book, gave the same three within 0.03 bits, but the gain of
# the warm-up changed its sign, and that of the wide layers ran from 0.02 to 0.06. In another order the
# gains may be others, too. The first loss is $\ln V$ until the bias is set, and the entropy of the token
# frequencies from then on.
#
# ### Writing a passage, with a cache
#
# We train the first four ideas for longer and let the model write. To write a token it reads all that stands
# there. For the next token it would read the same again, plus one. But causal attention never lets an early
# position see a later one, so nothing that was computed for the old positions changes. Their keys and values
# are all that later positions ask for. We keep them, the *key-value cache*, and feed in the new token only.


# %%
def read_on(model, x, caches):
    """Logits (B, T, vocabulary) of new tokens x, (B, T), that follow those in the caches.

    caches: a list for each block, empty at first, then [key, value] of all tokens read, (B, H, S, d) each,
    which are updated in place. Raises ValueError if positions run out.
    """
    start = caches[0][0].shape[2] if caches[0] else 0
    x = model.embed(x, start)
    n_new = x.shape[1]
    shape = n_new, start + n_new  # (T, S + T)
    may_attend = torch.ones(shape, dtype=torch.bool, device=x.device).tril(start)  # all old, no later ones
    for block, cache in zip(model.blocks, caches, strict=True):
        query, key, value = block.heads(block.attention_norm(x))  # (B, H, T, d) each
        if cache:
            key = torch.cat([cache[0], key], dim=2)  # (B, H, S, d), (B, H, T, d) -> (B, H, S + T, d)
            value = torch.cat([cache[1], value], dim=2)
        cache[:] = key, value
        x = x + block.join(F.scaled_dot_product_attention(query, key, value, may_attend))
        x = x + block.feed_forward(block.feed_forward_norm(x))
    return model.head(model.norm(x))


# %%
def write(model, prompt, n_tokens, temperature, top_k, generator, cached=True):
    """The tokens of the prompt and n_tokens drawn after them; cached=False reads the window again each time.

    Draws from the top_k most probable tokens. If positions run out, the older half of the window is dropped.
    Raises ValueError unless there is a prompt, temperature > 0 and top_k >= 1.
    """
    if not (len(prompt) and temperature > 0 and top_k >= 1):
        raise ValueError(f"need a prompt, temperature > 0, top_k >= 1, got {prompt}, {temperature}, {top_k}")
    tokens = list(prompt)
    start = 0
    caches = None
    for _ in range(n_tokens):
        if len(tokens) - start > model.n_positions:  # the window is full
            start = len(tokens) - model.n_positions // 2
            caches = None
        fresh = caches is None
        if fresh and cached:
            caches = [[] for _ in model.blocks]
        new = tokens[start:] if fresh else tokens[-1:]
        x = torch.tensor([new], device=model.head.bias.device)  # (1, T) or (1, 1)
        with torch.no_grad():
            logits = read_on(model, x, caches) if cached else model(x)
        logits = logits[0, -1].cpu().double()  # (vocabulary,)
        logits = (logits - logits.max()) / temperature  # the largest is zero at any temperature
        kept, places = logits.topk(min(top_k, len(logits)))
        drawn_place = torch.multinomial(kept.softmax(dim=0), 1, generator=generator)
        tokens.append(places[drawn_place].item())
    return tokens


# %%
torch.manual_seed(0)
model = build(width, IDEAS[:4], *book_size)
n_book_steps = 400 if on_cpu else n_steps
fit(model, windows(batch_size, book_size[2]), n_book_steps, learning_rate, n_book_steps // 10)
byte_bits["Transformer"] = bits_per_byte(model, book_size[2])
for name, cost in byte_bits.items():
    print(f"{name:24s}{cost:.3f} bits per byte")

prompt = encode("The whale", merges)  # no space at the end: it belongs to the next token
samples = {}
for temperature, top_k in ((0.3, vocabulary), (0.8, 40)):
    generator = torch.Generator().manual_seed(0)
    samples[temperature] = write(model, prompt, 80, temperature, top_k, generator)
    print(f"\ntemperature {temperature}, top {top_k}:\n{decode(samples[temperature], merges)}")
again = write(model, prompt, 80, 0.8, 40, torch.Generator().manual_seed(0), cached=False)
if on_cpu:  # on other devices rounding differs between the two ways
    assert again == samples[0.8]

# %% [markdown]
# With and without the cache the text is the same. At this size the words are mostly words, and the
# sentences are not yet sentences: the network has read half of the book once, in short pieces, and
# counting pairs of tokens still predicts better (by about as much from two other starts). On a GPU the
# lesson trains a model about fifty times as large on many times as much text, and you can judge what it
# writes then.
#
# How much time does the cache save? We time one more token after more and more of them, in an untrained
# model with room for 512.

# %%
long_model = build(128, IDEAS[:4], 4, 4, 512).eval()
lengths = (32, 64, 128, 256, 511)
cached_times = []
uncached_times = []
for length in lengths:
    long_x = torch.randint(vocabulary, (1, length + 1), device=device)
    times = []
    for _ in range(5):
        with torch.no_grad():
            caches = [[] for _ in long_model.blocks]
            read_on(long_model, long_x[:, :-1], caches)
            start = time.perf_counter()
            cached_logits = read_on(long_model, long_x[:, -1:], caches)
            cached_logits = cached_logits[0, -1].cpu()  # .cpu() waits for the device
            middle = time.perf_counter()
            uncached_logits = long_model(long_x)[0, -1].cpu()
        times.append((1000 * (middle - start), 1000 * (time.perf_counter() - middle)))
    torch.testing.assert_close(cached_logits, uncached_logits, rtol=1e-3, atol=1e-3)
    cached_times.append(min(cached for cached, _ in times))
    uncached_times.append(min(uncached for _, uncached in times))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(lengths, uncached_times, "o-", color="C0", markerfacecolor="none", label="reading all again")
ax.plot(lengths, cached_times, "s--", color="C1", markerfacecolor="none", label="with the cache")
ax.set(xlabel="tokens before", ylabel="one more token (ms)", xticks=lengths, ylim=(0, None))
ax.set_title("Time for one more token")
ax.legend()
plt.show()

# %% [markdown]
# Without the cache the time grows with the text, and with it hardly. This is the architecture of large
# language models, and what differs is size, by factors of a thousand to a million; refinements such as
# rotary positions (12.4) and keys and values shared between heads; and a second training, in which the
# model learns from instructions and from people's judgement to be useful.

# %%
assert abs(np.mean(lstm_bits) - best_count) < 0.05, "the LSTM is about level with the counts"
gap = np.mean(name_bits) - np.mean(lstm_bits)
assert abs(gap) < 0.06, "between the two networks there is hardly a difference"
assert abs(first_losses["nothing"] - math.log(vocabulary)) < 0.1, "the first loss is ln V"
assert abs(first_losses["output bias"] - entropy) < 0.3, "with the bias it is the entropy of the frequencies"
if on_cpu:
    gains = {IDEAS[k]: list(log.values())[k] - list(log.values())[k + 1] for k in range(len(IDEAS))}
    assert max(gains, key=gains.get) == "tokens of size one", "tokens at full size are worth most"
    assert gains["output bias"] > 0.02, "starting from what can be counted helps a little more"
    assert gains["tying"] < -0.02, "tying costs here"
    assert byte_bits["Transformer"] > byte_bits["2 tokens, counted"], "counting pairs still predicts better"
    assert byte_bits["Transformer"] < byte_bits["3 characters, counted"], (
        "it passes three characters, counted"
    )

# %% [markdown]
# ## What to remember
#
# - A decoder is the encoder's block with a causal mask. Every position is a training example.
# - Bits per letter, or per byte, measure the predictions; counting is the bar to pass.
# - Predict the first loss before you train: $\ln V$, or the entropy of the frequencies.
# - A text is written one token at a time: probabilities, temperature, draw, read again.
# - Old keys and values do not change, so a writer keeps them.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Leave out the causal mask: in `Block.attend` set `is_causal=False`. Which check stops the lesson, and
#    how would the training loss have looked without that check?
# 2. Write at other temperatures: put `temperature=1.5` in place of 0.6. How does the last column of the table
#    of new names change, and which claim no longer holds?
# 3. From a blank cell at the end: write `complete(text)`, which finishes the beginning of a name by always
#    taking the most probable letter, and try it on three beginnings. How do its names compare with those
#    that were drawn?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3.1 to 3.4: the causal mask.
#   Reproduced: test_block_matches_encoder_layer_with_causal_mask.
# - A. Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.3: the
#   pre-norm decoder, and weights of spread 0.02 in its published code.
# - O. Press, L. Wolf, "Using the output embedding to improve language models", EACL 2017: tying.
# - I. H. Witten, T. C. Bell, "The zero-frequency problem", 1991: the interpolation of the counts.
# - A. Karpathy, "makemore" and "nanoGPT", 2022: names as a task, and a training loop to compare with.
# - H. Melville, _Moby-Dick; or, The Whale_, 1851: the data.
