# %% [markdown]
# # 12.8 A language model: guess the next token, then the next
#
# Two friends tell a story together, one word each in turn. Neither knows the end. Each looks at everything
# said so far and adds what fits. A machine that plays this game well enough, with itself, writes letters,
# programs and answers. The game is lesson 11.6's, the player is now made of the blocks of this chapter.
#
# **You will build** a causal Transformer that reads *Moby-Dick* in the tokens of lesson 12.6; a log of
# what each trick in its recipe is worth; the same model in three widths; and a writer that does not read
# its own text again for every word. **You need** the encoder block (12.5), byte-pair encoding (12.6), and
# n-grams and sampling (11.6). **It takes** about a minute.

# %%
import importlib.util
import math
import re
import shutil
import time
from collections import Counter, defaultdict
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
# One model reads *whale* as a single token and gives it the probability $\frac1{32}$. Another reads five
# letters and gives each $\frac12$. Per token the first pays five bits, the second one. Yet both pay five
# bits for the same five *bytes* of text. So we divide by what does not depend on the cutting:
#
# $$\text{bits per byte} = \frac{\sum -\log_2 p(\text{token})}{\text{bytes in the text}} .$$

# %%
per_byte = [sum(-math.log2(p) for p in tokens) / len("whale") for tokens in ([1 / 32], [1 / 2] * 5)]
print(f"bits per byte: {per_byte}")
assert per_byte == [1, 1]

# %% [markdown]
# ## The book as tokens
#
# Lesson 12.6 explains byte-pair encoding, and its tokenizer is the one to copy. Here is the short form
# that this lesson needs: merges are learned from the different chunks and their counts, and the text is
# encoded by doing one merge after another everywhere. A token is a character of a Python string.

# %%
CHUNK = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")
BETWEEN = chr(0x10FFFF)  # stands between chunks, so that no merge reaches across


def learn_merges(text, vocab_size):
    """The merges of byte-pair encoding (12.6): strings of two tokens, in the order learned."""
    chunks = Counter(CHUNK.findall(text))
    words, weights = [chunk.encode("utf-8").decode("latin-1") for chunk in chunks], list(chunks.values())
    counts, where, merges = defaultdict(int), defaultdict(set), []
    for k, word in enumerate(words):
        for pair in map(add, word, word[1:]):
            counts[pair] += weights[k]
            where[pair].add(k)
    for token in map(chr, range(256, vocab_size)):
        merges.append(max(counts, key=counts.get))
        for k in where.pop(merges[-1]):
            for pair in map(add, words[k], words[k][1:]):
                counts[pair] -= weights[k]
            words[k] = words[k].replace(merges[-1], token)
            for pair in map(add, words[k], words[k][1:]):
                counts[pair] += weights[k]
                where[pair].add(k)
    return merges


# %% [markdown]
# Doing the merges in the order learned, each one everywhere, gives what 12.6's encoder gives chunk by
# chunk: a merge can only join tokens that are older than itself.


# %%
def encode(text, merges):
    """The tokens of a text, numbers from 0 to 255 + len(merges)."""
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


# %% [markdown]
# The last tenth of the book is the test, cut once and never shuffled. The merges, too, are learned from
# the first nine tenths alone.

# %%
text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
n_train, vocabulary = len(text) * 9 // 10, 1024
train_text, test_text = text[:n_train], text[n_train:]
merges = learn_merges(train_text, vocabulary)
train_tokens, test_tokens = (torch.tensor(encode(part, merges)) for part in (train_text, test_text))  # (n,)
n_test_bytes = len(test_text.encode("utf-8"))
assert decode(test_tokens, merges) == test_text
print(f"{len(train_tokens):,} tokens to learn from, {len(test_tokens):,} for the test")

# %% [markdown]
# ## What counting achieves
#
# The bar to pass: lesson 11.6's interpolated n-grams, over characters, and over our tokens. They count
# each context in the first nine tenths, and mix in a shorter context's opinion where a longer one is rare.


# %%
def ngram_bits(train_codes, test_codes, order, vocabulary):
    """Mean bits a code of interpolated n-grams (Witten and Bell 1991; lesson 11.6); codes: integers, (n,)."""
    probability = np.full(len(test_codes) - order + 1, 1 / vocabulary)
    for n in range(1, order + 1):
        place = vocabulary ** np.arange(n)[::-1]  # a run of n codes becomes one number
        parts = train_codes, test_codes[order - n :]
        # (windows, n) @ (n,) -> (windows,)
        runs, test_runs = (np.lib.stride_tricks.sliding_window_view(part, n) @ place for part in parts)
        kinds, counts = np.unique(runs, return_counts=True)
        contexts, first = np.unique(kinds // vocabulary, return_index=True)
        totals, different = np.add.reduceat(counts, first), np.diff(first, append=len(kinds))
        seen = look_up(kinds, counts, test_runs)
        total = look_up(contexts, totals, test_runs // vocabulary)
        weight = np.maximum(look_up(contexts, different, test_runs // vocabulary), 1)
        probability = (seen + weight * probability) / (total + weight)
    return -np.log2(probability).mean()


def look_up(sorted_keys, values, wanted):
    """values at the places of `wanted` among `sorted_keys`, 0 where it is not there: (len(wanted),)."""
    place = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == wanted, values[place], 0)


characters = sorted(set(text))
codes = np.searchsorted(characters, list(text))  # (n,)
byte_bits = {}
for order in (3, 5):
    bits = ngram_bits(codes[:n_train], codes[n_train:], order, len(characters))
    byte_bits[f"{order} characters, counted"] = bits * len(test_text) / n_test_bytes
bits = ngram_bits(train_tokens.numpy(), test_tokens.numpy(), 2, vocabulary)
byte_bits["2 tokens, counted"] = bits * len(test_tokens) / n_test_bytes
for name, cost in byte_bits.items():
    print(f"{name:24s}{cost:.3f} bits per byte")

# %% [markdown]
# ## Nobody may look ahead
#
# The model answers at every position at once: position $t$ guesses token $t + 1$. That is only honest if
# position $t$ cannot see it. The causal mask of lesson 12.2 lets each position attend to itself and what
# came before. By hand, and as the library spells it, with values and gradients compared:


# %%
def causal_attention(query, key, value):
    """Attention in which position t sees positions 0 to t; query, key, value and the result: (B, H, T, d)."""
    n_positions, d = query.shape[-2:]
    scores = query @ key.mT / math.sqrt(d)  # (B, H, T, d) @ (B, H, d, T) -> (B, H, T, T)
    may_attend = torch.ones(n_positions, n_positions, dtype=torch.bool, device=query.device).tril()  # (T, T)
    return scores.masked_fill(~may_attend, -math.inf).softmax(dim=-1) @ value  # (B, H, T, T) @ (B, H, T, d)


query, key, value, cotangent = torch.randn(4, 2, 3, 7, 5, dtype=torch.float64)  # (B, H, T, d) each
inputs = [part.requires_grad_() for part in (query, key, value)]
ours = causal_attention(*inputs)
theirs = F.scaled_dot_product_attention(*inputs, is_causal=True)
gradients = [torch.autograd.grad((out * cotangent).sum(), inputs) for out in (ours, theirs)]
largest = (ours - theirs).abs().max().item()
print(f"largest difference {largest:.1e}")
torch.testing.assert_close((ours, *gradients[0]), (theirs, *gradients[1]), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The model
#
# The block is lesson 12.5's, pre-norm, with three changes: it is causal, GELU (5.2) takes the place of
# ReLU, and it can keep the keys and values of what it has read in a `memory`, which we need for writing
# (in lesson 12.5 the encoder's output had that name; here there is no encoder). A token's vector and its
# position's vector are added; after the blocks, a layer norm and a linear layer give a score for each
# token that may come next.


# %%
class Block(nn.Module):
    """Causal self-attention and feed-forward, pre-norm: (B, T, D) to the same.

    memory: a list, empty or [key, value] of the positions before, (B, H, S, d) each; it is updated in place.
    """

    def __init__(self, width, n_heads, dropout=0.0):
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )
        self.n_heads, self.dropout = n_heads, dropout

    def attend(self, x, memory=None):
        """Attention of normed x, (B, T, D), to itself and the memory, position t to none later: (B, T, D)."""
        # (B, T, D) @ (D, 3D) -> (B, T, 3D) -> (B, T, 3, H, d) -> three of (B, H, T, d)
        query, key, value = self.project_in(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        if memory:
            key, value = torch.cat([memory[0], key], dim=2), torch.cat([memory[1], value], dim=2)
        if memory is not None:
            memory[:] = key, value
        dropout = self.dropout if self.training else 0.0
        is_causal = x.shape[1] > 1  # a single new position may see all there is
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=is_causal)
        return self.project_out(mixed.transpose(1, 2).flatten(2))  # (B, H, T, d) -> (B, T, D) -> (B, T, D)

    def forward(self, x, memory=None):
        heard = self.attend(self.attention_norm(x), memory)
        x = x + F.dropout(heard, self.dropout, self.training)
        return x + self.feed_forward(self.feed_forward_norm(x))


# %% [markdown]
# All weights begin as small as in GPT-2, normal with a spread of $0.02$, and all biases at zero. Whether
# that is wise we shall see.


# %%
class LanguageModel(nn.Module):
    """From tokens x, (B, T), to scores for each next token, (B, T, vocabulary).

    memories: a list of one memory a block. With memories that are not empty x must be one position, T = 1.
    Raises ValueError for that, and where positions run out.
    """

    def __init__(self, vocabulary, width, n_layers, n_heads, n_positions, dropout=0.0):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(n_positions, width)
        self.blocks = nn.ModuleList(Block(width, n_heads, dropout) for _ in range(n_layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)
        self.n_positions, self.scale = n_positions, 1.0
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x, memories=None):
        start = memories[0][0].shape[2] if memories and memories[0] else 0
        stop = start + x.shape[1]
        if stop > self.n_positions or (start and x.shape[1] > 1):
            raise ValueError(f"x of shape {tuple(x.shape)} after {start} of {self.n_positions} positions")
        x = (self.token(x) + self.position.weight[start:stop]) * self.scale  # (B, T) -> (B, T, D) + (T, D)
        for block, memory in zip(self.blocks, memories or [None] * len(self.blocks)):
            x = block(x, memory)
        return self.head(self.norm(x))  # (B, T, D) @ (D, vocabulary) -> (B, T, vocabulary)


# %% [markdown]
# ## The same in PyTorch
#
# `nn.TransformerEncoderLayer` is a decoder's block, too, once it gets a causal mask: what makes a decoder
# is the mask. We copy one block's weights and compare outputs and every gradient.

# %%
block = Block(12, 3).double()
layer = nn.TransformerEncoderLayer(
    12, 3, 48, dropout=0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
)
ours = [block.project_in, block.project_out, block.feed_forward[0], block.feed_forward[2]]
ours = [parameter for module in ours for parameter in module.parameters()]
ours += [*block.attention_norm.parameters(), *block.feed_forward_norm.parameters()]
theirs = list(layer.parameters())
with torch.no_grad():
    for our, their in zip(ours, theirs, strict=True):
        their.copy_(our.normal_())

x, cotangent = torch.randn(2, 4, 9, 12, dtype=torch.float64)  # (B, T, D) each
mask = ~torch.ones(9, 9, dtype=torch.bool).tril()  # here the library's True means: may not attend
outputs = block(x), layer(x, src_mask=mask, is_causal=True)
gradients = [torch.autograd.grad((out * cotangent).sum(), p) for out, p in zip(outputs, (ours, theirs))]
largest = max((a - b).abs().max().item() for a, b in zip(*gradients))
print(f"largest difference of a gradient {largest:.1e}")
torch.testing.assert_close((outputs[0], *gradients[0]), (outputs[1], *gradients[1]), rtol=1e-10, atol=1e-11)

# %% [markdown]
# Does the future leak? We change the sixth of nine tokens and see which answers move.

# %%
probe = LanguageModel(vocabulary, 16, 2, 4, 9).double().eval()
x = torch.randint(vocabulary, (1, 9))
changed = x.clone()
changed[0, 5] = (x[0, 5] + 1) % vocabulary
moved = (probe(x) != probe(changed)).any(dim=-1)[0]  # (T,)
print("positions whose answer moved:", moved.nonzero().flatten().tolist())
assert not moved[:5].any() and moved[5:].all()

# %% [markdown]
# ## What each idea buys
#
# A recipe is a pile of ideas, and papers rarely say what each is worth. We add them one at a time:
#
# 1. *Linear layers at $1/\sqrt{\text{width}}$*, so that a layer keeps the size of its input (6.5).
# 2. *Tokens of size one*: a table of spread $0.02$ is multiplied by $50$, and positions are a tenth of
#    that. Otherwise the token drowns in the first block's output.
# 3. *The output's bias at the log of the token frequencies*: why learn what can be counted?
# 4. *Warm-up* of the learning rate (7.3).
# 5. *Tying*: the table that reads tokens is also the one that scores them (Press and Wolf 2017), which
#    saves parameters.

# %%
counts = torch.bincount(train_tokens, minlength=vocabulary) + 1
log_frequencies = (counts / counts.sum()).log()  # (vocabulary,)
IDEAS = ("wide linear layers", "tokens of size one", "output bias", "warm-up", "tying")


def build(width, ideas, n_layers, n_heads, n_positions, dropout=0.0):
    """A language model with the ideas of IDEAS named in `ideas`, on the device (warm-up is for `fit`)."""
    model = LanguageModel(vocabulary, width, n_layers, n_heads, n_positions, dropout)
    with torch.no_grad():
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


# %% [markdown]
# Training is chapter 7's: AdamW (7.2), clipping (7.5), a cosine (7.3). A batch is a handful of windows
# from random places, drawn on the CPU so that every model sees the same. On CUDA the products run in
# bfloat16, and where there is a compiler the step is compiled (4.5).


# %%
def fit(model, n_steps, learning_rate, n_warmup, batch_size, n_positions, compiled=False):
    """Train on random windows of train_tokens; returns each step's loss (nats a token) and end (seconds)."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.1, fused=True
    )
    generator, losses, ends = torch.Generator().manual_seed(0), [], []
    run = torch.compile(model) if compiled else model
    started = time.perf_counter()
    for step in range(n_steps):
        share = min((step + 1) / n_warmup, 1) if n_warmup else 1
        optimizer.param_groups[0]["lr"] = share * learning_rate * (1 + math.cos(math.pi * step / n_steps)) / 2
        starts = torch.randint(len(train_tokens) - n_positions, (batch_size, 1), generator=generator)
        window = train_tokens[starts + torch.arange(n_positions + 1)].to(device)  # (B, T + 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = run(window[:, :-1])  # (B, T) -> (B, T, vocabulary)
            loss = F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        ends.append(time.perf_counter() - started)
    return np.array(losses), np.array(ends)


# %% [markdown]
# The score cuts the test into windows, each guessed without knowing the one before: a plain and slightly
# pessimistic measure. It is fair to any tokens, since the division is by bytes.


# %%
def bits_per_byte(model, n_positions, batch_size=64):
    """On the last tenth of the book, in windows that each begin without context."""
    n_windows, nats = (len(test_tokens) - 1) // n_positions, 0.0
    x, y = (test_tokens[i : i + n_windows * n_positions].view(n_windows, -1) for i in (0, 1))  # (windows, T)
    model.eval()
    with torch.no_grad():
        for xs, ys in zip(x.split(batch_size), y.split(batch_size)):
            logits = model(xs.to(device)).flatten(0, 1)  # (B * T, vocabulary)
            nats += F.cross_entropy(logits, ys.to(device).flatten(), reduction="sum").item()
    model.train()
    return nats / y.numel() * len(test_tokens) / n_test_bytes / math.log(2)


# %% [markdown]
# The first loss can be told beforehand. A model that scores all tokens alike pays $\ln V$ nats. With the
# bias set it pays the entropy of the token frequencies, if the rest still says next to nothing.

# %%
n_layers, n_heads, n_positions, batch_size, dropout = (2, 4, 64, 8, 0.0) if on_cpu else (6, 6, 256, 64, 0.2)
widths, learning_rate = ((32, 64, 128), 0.006) if on_cpu else ((96, 192, 384), 0.002)
size = n_layers, n_heads, n_positions, dropout

log, first_losses = {}, {}
print(f"{'':24s}{'parameters':>12s}{'first loss':>12s}{'bits/byte':>12s}{'gain':>10s}")
for k in range(len(IDEAS) + 1):
    torch.manual_seed(0)
    model = build(widths[1], IDEAS[:k], *size)
    losses, _ = fit(model, 120, learning_rate, 12 if "warm-up" in IDEAS[:k] else 0, batch_size, n_positions)
    name = IDEAS[k - 1] if k else "nothing"
    log[name], first_losses[name] = bits_per_byte(model, n_positions), losses[0]
    gain = f"{log[IDEAS[k - 2] if k > 1 else 'nothing'] - log[name]:10.3f}" if k else ""
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name:24s}{n_parameters:12,d}{losses[0]:12.3f}{log[name]:12.3f}{gain}")
entropy = -(log_frequencies.exp() * log_frequencies).sum().item()
print(f"ln V {math.log(vocabulary):.3f}, entropy of the frequencies {entropy:.3f} nats")
assert abs(first_losses["nothing"] - math.log(vocabulary)) < 0.1
assert abs(first_losses["output bias"] - entropy) < 0.3
if on_cpu:
    assert log["wide linear layers"] - log["tokens of size one"] > 0.2
    assert abs(log["nothing"] - log["wide linear layers"]) < (log["nothing"] - log["tokens of size one"]) / 2
    assert log["tokens of size one"] - log["output bias"] > 0.03 > abs(log["output bias"] - log["warm-up"])
    assert log["tying"] > log["warm-up"] + 0.03

# %% [markdown]
# One idea carries the recipe, at this size and for so short a training: let the tokens in at full size.
# Starting from what can be counted buys a little more, with each of the four seeds that we tried. What
# wide layers buy changes sign with the seed, and warm-up changes next to nothing: pre-norm already looks
# after what they are for (12.5). And a log also tells what to leave out. Tying helps where the table is
# most of a model, but here the one table must both move fast, to be read, and score with care. We keep
# the first four.
#
# ## Three widths
#
# The same batches, the same number of steps, three widths.

# %%
RECIPE, n_steps, n_warmup = IDEAS[:4], 400, 40
has_compiler = importlib.util.find_spec("triton") and (shutil.which("cc") or shutil.which("gcc"))
can_compile = device.type == "cuda" and bool(has_compiler)
models, curves, lasted = {}, {}, {}
for width in widths:
    torch.manual_seed(0)
    models[width] = build(width, RECIPE, *size)
    curves[width], lasted[width] = fit(
        models[width], n_steps, learning_rate, n_warmup, batch_size, n_positions, compiled=can_compile
    )
    byte_bits[f"Transformer, width {width}"] = bits_per_byte(models[width], n_positions)
    for step in range(99, n_steps, 100):
        print(
            f"width {width:3d}   step {step + 1:4d}   loss {curves[width][step - 49 : step + 1].mean():.3f}"
        )
    cost = byte_bits[f"Transformer, width {width}"]
    print(f"width {width:3d}   {cost:.3f} bits per byte on the test, {lasted[width][-1]:.0f} s")
results = [byte_bits[f"Transformer, width {width}"] for width in widths]
assert results[2] < byte_bits["3 characters, counted"] - 0.1
assert results[0] > results[1] > results[2] or not on_cpu

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
window = 40
for (width, losses), style in zip(curves.items(), ("-", "--", "-.")):
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    left.plot(np.arange(window, n_steps + 1), smooth, style, label=f"width {width}")
    right.plot(lasted[width][window - 1 :], smooth, style, label=f"width {width}")
left.set(xlabel="step", ylabel=f"loss, mean of {window} steps (nats a token)")
left.legend()
right.set(xlabel="seconds")
left.set_title("Step by step, wider is better")
right.set_title("Second by second, narrow leads at first")
plt.show()

# %% [markdown]
# Which width is best depends on what is counted. For a given number of tokens, the wide one. For given
# seconds, a narrower one is ahead for a while: it has taken more steps. On a large accelerator the wide
# model's step is hardly slower, which is one reason why models grew.
#
# ## An LSTM for the same time
#
# The same table and the same bias around one LSTM (11.4), trained for about as long as the middle
# Transformer took on one CPU thread, on the same kind of windows.


# %%
class RecurrentModel(nn.Module):
    """From tokens (B, T) to scores (B, T, vocabulary) through one LSTM as wide as the table."""

    def __init__(self, vocabulary, width):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)
        with torch.no_grad():
            self.token.weight.normal_(std=0.02)
            self.head.weight.normal_(std=0.02)
            self.head.bias.copy_(log_frequencies)

    def forward(self, x):
        hiddens, _ = self.lstm(50.0 * self.token(x))  # (B, T) -> (B, T, D) -> (B, T, D)
        return self.head(hiddens)  # (B, T, D) -> (B, T, vocabulary)


torch.manual_seed(0)
recurrent = RecurrentModel(vocabulary, widths[-1]).to(device)
n_lstm_steps = 450
_, ends = fit(recurrent, n_lstm_steps, learning_rate, n_warmup, batch_size, n_positions)
byte_bits["LSTM"] = bits_per_byte(recurrent, n_positions)
seconds = ends[-1], lasted[widths[1]][-1]
print(f"LSTM, width {widths[-1]}: {n_lstm_steps} steps, {byte_bits['LSTM']:.3f} bits per byte")
print(f"{seconds[0]:.0f} s, the Transformer of width {widths[1]} took {seconds[1]:.0f} s")
read = n_steps * batch_size * n_positions / len(train_tokens)
print(f"each Transformer has read {read:.0%} of the training text, counting has read it all")
assert (byte_bits["LSTM"] < results[1] and 0.4 < read < 0.6) or not on_cpu

# %%
order = sorted(byte_bits, key=byte_bits.get, reverse=True)
is_count = ["counted" in name for name in order]
best_count = min(byte_bits[name] for name in order if "counted" in name)
ahead = "Counting is still ahead" if best_count < min(results) else "The network is ahead of counting"
assert best_count < min(results) or not on_cpu

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for row, (name, counted) in enumerate(zip(order, is_count)):
    ax.barh(row, byte_bits[name], color="C0" if counted else "C1", hatch="//" if counted else "", alpha=0.7)
    ax.text(byte_bits[name], row, f" {byte_bits[name]:.2f}", va="center", fontsize=9)
ax.set_yticks(range(len(order)), order)
ax.set(xlim=(0, 1.15 * max(byte_bits.values())), xlabel="bits per byte on the last tenth", title=ahead)
plt.show()

# %% [markdown]
# At the CPU's size the LSTM wins against the Transformer in the same time, and counting beats both. No
# shame: the networks have read about half of the book, in short pieces; the counts are of all its first
# nine tenths. A likely reason for the LSTM's lead: a Transformer must learn from data even that the last
# token matters most, an LSTM is built that way. What the Transformer wins it wins with size: context,
# data, width, and hardware that computes all positions at once.
#
# ## Writing, without reading everything again
#
# To write a token the model reads all that stands there. For the next token it reads the same again, plus
# one. But causal attention never lets an early position see a later one, so nothing computed for the old
# positions changes. Their keys and values are all that later positions ask for: we keep them, the
# *key-value cache*, and feed in only the new token.

# %%
model = build(widths[1], RECIPE, *size).cpu().double().eval()
x = train_tokens[None, :n_positions]  # (1, T)
with torch.no_grad():
    whole = model(x)  # (1, T, vocabulary)
    memories = [[] for _ in model.blocks]
    pieces = [model(x[:, :5], memories)]  # a prompt of five at once, then one by one
    pieces += [model(x[:, t : t + 1], memories) for t in range(5, n_positions)]
largest = (torch.cat(pieces, dim=1) - whole).abs().max().item()
print(f"with and without a cache, largest difference {largest:.1e}")
assert largest < 1e-10

# %% [markdown]
# Our model has learned a fixed number of positions. When they are used up, the writer forgets the older
# half and begins a new window, and a new cache, with the rest. *Temperature* and *top-k* are those of
# 11.6.


# %%
def write(model, prompt, n_tokens, temperature, top_k, generator, cached=True):
    """The tokens of the prompt and n_tokens drawn after them; cached=False reads the window anew each time.

    Raises ValueError unless there is a prompt, temperature > 0 and top_k >= 1.
    """
    if not (len(prompt) and temperature > 0 and top_k >= 1):
        raise ValueError(f"need a prompt, temperature > 0, top_k >= 1, got {prompt}, {temperature}, {top_k}")
    tokens, start, memories, where = list(prompt), 0, None, model.head.bias.device
    for _ in range(n_tokens):
        if len(tokens) - start > model.n_positions:  # the window is full
            start, memories = len(tokens) - model.n_positions // 2, None
        fresh = memories is None
        if fresh and cached:
            memories = [[] for _ in model.blocks]
        x = torch.tensor([tokens[start:] if fresh else tokens[-1:]], device=where)  # (1, T) or (1, 1)
        with torch.no_grad():
            logits = model(x, memories)[0, -1].cpu().double() / temperature  # (vocabulary,)
        kept, places = logits.topk(min(top_k, len(logits)))
        tokens.append(places[torch.multinomial(kept.softmax(dim=0), 1, generator=generator)].item())
    return tokens


model = models[widths[-1]].eval()
prompt = encode("The whale", merges)  # no space at the end: it belongs to the next token
samples = {}
for temperature, top_k in ((0.3, vocabulary), (0.8, 40), (1.5, vocabulary)):
    generator = torch.Generator().manual_seed(0)
    samples[temperature] = write(model, prompt, 100, temperature, top_k, generator)
    print(f"temperature {temperature}, top {top_k}:\n{decode(samples[temperature], merges)}\n")

# %% [markdown]
# The words are mostly words, the sentences are not yet sentences. The same seed must give the same text
# without the cache, only later. How much later grows with the text: we time one more token after more and
# more of them, in an untrained model with room for 512.

# %%
again = write(model, prompt, 100, 0.8, 40, torch.Generator().manual_seed(0), cached=False)
assert again == samples[0.8]

long_model = build(128, RECIPE, 4, 4, 512).eval()
lengths, cached_times, uncached_times = (32, 64, 128, 256, 511), [], []
for length in lengths:
    x = torch.randint(vocabulary, (1, length + 1), device=device)
    times = []
    for _ in range(7):
        with torch.no_grad():
            long_model(x[:, :-1], memories := [[] for _ in long_model.blocks])
            started = time.perf_counter()
            cached_logits = long_model(x[:, -1:], memories)[0, -1].cpu()  # .cpu() waits for the device
            middle = time.perf_counter()
            uncached_logits = long_model(x)[0, -1].cpu()
        times.append((middle - started, time.perf_counter() - middle))
    torch.testing.assert_close(cached_logits, uncached_logits, rtol=1e-3, atol=1e-3)
    cached_times.append(1000 * min(pair[0] for pair in times))
    uncached_times.append(1000 * min(pair[1] for pair in times))
    print(
        f"after {length:3d} tokens: {uncached_times[-1]:6.2f} ms, with the cache {cached_times[-1]:6.2f} ms"
    )
assert cached_times[-1] < uncached_times[-1] / 2 or not on_cpu

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(lengths, uncached_times, "o-", color="C0", markerfacecolor="none", label="reading all again")
ax.plot(lengths, cached_times, "s--", color="C1", markerfacecolor="none", label="with the cache")
ax.set(xlabel="tokens before", ylabel="one more token (ms)", xticks=lengths, ylim=(0, None))
ax.set_title("With a cache, old text costs little")
ax.legend()
plt.show()

# %% [markdown]
# ## Where large language models begin
#
# This is their architecture. What differs is size, by factors of a thousand to a million in parameters and
# more in text; refinements such as rotary positions (12.3), keys and values shared between heads, and a
# norm without a mean; and a second life after this training, in which the model learns from instructions
# and from people's judgement to be useful. The loss that you minimised here is the one that they minimise.
#
# ## What to remember
#
# - A decoder is the encoder's block with a causal mask. Every position is a training example.
# - Bits per byte make models with different tokens comparable, and counting is the bar.
# - Predict the first loss before you train: $\ln V$, or the entropy of the frequencies.
# - Add ideas one at a time and keep a log.
# - Old keys and values do not change, so a writer keeps them.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Leave out the causal mask in `Block.attend`. Watch the training loss, then the test.
# 2. Train the middle width four times as long. Does it pass the counted pairs of tokens?
# 3. Take a vocabulary of 512, or 4,096. Which has the lower loss, and which the lower bits per byte?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", 2017, sections 3.1 to 3.4.
# - A. Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.3: the
#   pre-norm decoder, and weights of spread 0.02 in its published code.
# - O. Press, L. Wolf, "Using the output embedding to improve language models", 2017: tying.
# - A. Karpathy, "nanoGPT", 2022: a training loop to compare with.
# - H. Melville, *Moby-Dick; or, The Whale*, 1851: the data.
