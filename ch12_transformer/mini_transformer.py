# %% [markdown]
# # 12.7 Mini-Transformer: a network that learns to read dates
#
# _3 May 1987_, _5/3/1987_, _03.05.1987_ and _the 3rd of May 1987_ are one and the same day. You see that
# at a glance, and yet it would be some work to write down all the rules by which you see it. A program can
# learn such a task from pairs, each a text and its translation, without any rules. The *Transformer* was
# invented for this. It has an encoder that reads and a decoder that writes, both made of attention. The
# same network translates books and writes down speech.
#
# **You will build** a whole Transformer that translates dates into the international form, 1987-05-03:
# data, model, checks, training, decoding, and a look at what it reads while it writes. **You need** the
# encoder block and the decoder block (12.5), teacher forcing (12.1), masks (12.2), the sines (12.4), warm-up
# (7.3), cross-entropy (5.5), datasets and loaders (4.4). **It takes** about a minute.

# %%
import datetime
import math
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
rng = np.random.default_rng(0)
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")

# %% [markdown]
# ## On paper first
#
# The decoder writes one character at a time, given the source and what it has written so far. Let `<` open a
# translation and `>` end it. In training the right answer is known, so all its characters are trained at
# once: the decoder reads the answer shifted by one place. This is teacher forcing (12.1), and a causal mask
# (12.2) keeps each position from seeing what comes later.
#
# $$\begin{array}{lccccccccccc}
#   \text{reads} & < & 1 & 9 & 8 & 7 & - & 0 & 5 & - & 0 & 3 \\
#   \text{writes} & 1 & 9 & 8 & 7 & - & 0 & 5 & - & 0 & 3 & >
# \end{array}$$
#
# These are eleven decisions for one date, and if the network gets each of them right with probability
# $p$, independently, the whole date is right with probability $p^{11}$:
#
# $$\begin{aligned}
#   p &= 0.9: & 0.9^{11} &= 0.31 \\
#   p &= 0.99: & 0.99^{11} &= 0.90
# \end{aligned}$$
#
# So nearly every character must be right before the dates are.

# %%
answer = "<1987-05-03>"
decoder_reads = answer[:-1]
decoder_writes = answer[1:]
print("reads ", " ".join(decoder_reads))
print("writes", " ".join(decoder_writes))
print(f"all eleven right: {0.9**11:.2f} and {0.99**11:.2f}")

# %% [markdown]
# ## The dates
#
# We take every day from 1950 to 2049, in eight ways of writing. A point puts the day first, a slash the
# month; two digits of a year from 50 on mean the 1900s. A thousand days are kept for the test, and five
# hundred for validation, in every form. A ninth way of writing is kept away altogether. It is made of
# pieces that occur in the others: will it be understood?

# %%
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def ordinal(n):
    """1st, 2nd, 3rd, 4th, ... 11th, 12th, 13th, ... 21st."""
    suffix = "th" if 10 < n % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


def spellings(date):
    """The eight ways of writing a datetime.date that are trained, and the ninth that is not."""
    day, month, year = date.day, date.month, date.year
    name = MONTHS[month - 1]
    weekday = WEEKDAYS[date.weekday()]
    return (
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{weekday}, {day} {name} {year}",
        f"{day:02}.{month:02}.{year}",
        f"{month}/{day}/{year}",
        f"{name[:3]} {day} {year}",
        f"the {ordinal(day)} of {name} {year}",
        f"{day} {name[:3]} {year % 100:02}",
        f"{weekday}, {name} {day}, {year}",
    )


N_TRAINED = 8  # forms in training
NINTH = 8  # the place of the form that is held out
first_day = datetime.date(1950, 1, 1)
n_days = (datetime.date(2050, 1, 1) - first_day).days
dates = [first_day + datetime.timedelta(days=int(k)) for k in rng.permutation(n_days)]
test_dates, validation_dates, train_dates = dates[:1000], dates[1000:1500], dates[1500:]
print(f"{len(train_dates):,} days to learn from; the first test date in all forms:")
for form in spellings(test_dates[0]):
    print(f"    {form:36s}{test_dates[0].isoformat()}")

# %% [markdown]
# Characters become numbers, and 0 fills up the shorter texts of a batch. The characters are those of the
# eight forms and of the answers. The network has no vector for any other, so we refuse others. (For forms
# of your own, in another language perhaps, change `spellings`, and the characters follow.)


# %%
PAD, START, END = 0, 1, 2
seen = set("0123456789-").union(*(form for date in train_dates for form in spellings(date)[:8]))
characters = ["", "<", ">", *sorted(seen)]  # nothing is printed for padding
number = {character: i for i, character in enumerate(characters)}


def encode(texts):
    """Texts as codes, (B, longest), filled up with PAD.

    Raises ValueError for an unknown character, and for an empty text: there is nothing to attend to.
    """
    for text in texts:
        if not text:
            raise ValueError("one of the texts is empty")
        if unknown := set(text) - number.keys():
            raise ValueError(f"{text!r} has characters outside the vocabulary: {sorted(unknown)}")
    longest = max(map(len, texts), default=0)
    rows = [[number[c] for c in text] + [PAD] * (longest - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.long).reshape(len(texts), longest)


def decode(codes):
    """The text of a row of codes, (T,), from after START to before the first END."""
    text = "".join(characters[code] for code in codes)
    return text.removeprefix("<").partition(">")[0]


# %%
class DatePairs(Dataset):
    """Every date in every trained form: pairs (text, answer with START and END)."""

    def __init__(self, dates):
        self.dates = dates

    def __len__(self):
        return len(self.dates) * N_TRAINED

    def __getitem__(self, i):
        date = self.dates[i // N_TRAINED]
        return spellings(date)[i % N_TRAINED], f"<{date.isoformat()}>"


def collate(pairs):
    """A list of pairs as codes: source (B, S) and target (B, 12)."""
    texts, answers = zip(*pairs)
    return encode(texts), encode(answers)


loader = DataLoader(
    DatePairs(train_dates),
    batch_size=64,
    shuffle=True,
    collate_fn=collate,
    generator=torch.Generator().manual_seed(0),
)
source, target = collate([DatePairs(train_dates)[i] for i in range(3)])
print(f"{len(characters)} characters, {len(loader.dataset):,} pairs; source {tuple(source.shape)}", end=", ")
print(f"target {tuple(target.shape)}")

# %% [markdown]
# ## The model
#
# The parts are those of lesson 12.5, pre-norm only, and without dropout: there are far more pairs than the
# network will see, so it cannot learn them by heart. The attention layer is the plain one of lesson 12.3,
# because it returns its weights, and we want to look at them.


# %%
class MultiHeadAttention(nn.Module):
    """Attention of x, (B, T, D), to context, (B, S, D) (12.3): output (B, T, D), weights (B, H, T, S).

    mask: boolean, broadcast against (B, H, T, S), True where a query may attend.
    Raises ValueError if n_heads does not divide n_features.
    """

    def __init__(self, n_features, n_heads):
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_features} features")
        self.n_heads = n_heads
        self.project_query = nn.Linear(n_features, n_features)
        self.project_key = nn.Linear(n_features, n_features)
        self.project_value = nn.Linear(n_features, n_features)
        self.project_out = nn.Linear(n_features, n_features)

    def split(self, x):
        """(B, T, D) -> (B, H, T, d)"""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(
            1, 2
        )  # (B, T, D) -> (B, T, H, d) -> (B, H, T, d)

    def forward(self, x, context, mask):
        query = self.split(self.project_query(x))
        key = self.split(self.project_key(context))
        value = self.split(self.project_value(context))
        scores = query @ key.mT / math.sqrt(query.shape[-1])  # (B, H, T, d) @ (B, H, d, S) -> (B, H, T, S)
        weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
        output = (weights @ value).transpose(1, 2).flatten(2)  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)
        return self.project_out(output), weights


def feed_forward(n_features, n_hidden):
    """Two layers on every position alone, (B, T, D) -> (B, T, D)."""
    return nn.Sequential(nn.Linear(n_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_features))


# %%
class EncoderBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, (B, T, D) to the same."""

    def __init__(self, n_features, n_heads, n_hidden):
        super().__init__()
        self.attention = MultiHeadAttention(n_features, n_heads)
        self.feed_forward = feed_forward(n_features, n_hidden)
        self.attention_norm = nn.LayerNorm(n_features)
        self.feed_forward_norm = nn.LayerNorm(n_features)

    def forward(self, x, mask):
        normed = self.attention_norm(x)
        attended, _ = self.attention(normed, normed, mask)
        x = x + attended
        return x + self.feed_forward(self.feed_forward_norm(x))


# %%
class DecoderBlock(nn.Module):
    """Pre-norm self-attention, cross-attention to memory, (B, S, D), feed-forward: (B, T, D) to the same.

    Returns the weights of its cross-attention, too, (B, H, T, S).
    """

    def __init__(self, n_features, n_heads, n_hidden):
        super().__init__()
        self.attention = MultiHeadAttention(n_features, n_heads)
        self.cross_attention = MultiHeadAttention(n_features, n_heads)
        self.feed_forward = feed_forward(n_features, n_hidden)
        self.attention_norm = nn.LayerNorm(n_features)
        self.cross_norm = nn.LayerNorm(n_features)
        self.feed_forward_norm = nn.LayerNorm(n_features)

    def forward(self, x, memory, mask, memory_mask):
        normed = self.attention_norm(x)
        attended, _ = self.attention(normed, normed, mask)
        x = x + attended
        from_memory, weights = self.cross_attention(self.cross_norm(x), memory, memory_mask)
        x = x + from_memory
        return x + self.feed_forward(self.feed_forward_norm(x)), weights


# %% [markdown]
# Encoding happens once for a text, decoding once for each character, so the model offers both separately.


# %%
def sinusoids(length, n_features):
    """Positional encoding (12.4), (length, D), sines and cosines in turn; raises ValueError for an odd D."""
    if n_features % 2:
        raise ValueError(f"sines and cosines come in pairs, got {n_features} features")
    frequencies = 10000.0 ** (-torch.arange(0, n_features, 2) / n_features)  # (D / 2,)
    angles = torch.arange(length)[:, None] * frequencies  # (T, 1) * (D / 2,) -> (T, D / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, D / 2, 2) -> (T, D)


class Transformer(nn.Module):
    """Logits (B, T, V) of the next character, from codes source (B, S) and target (B, T)."""

    def __init__(self, vocabulary, n_features, n_heads, n_hidden, n_blocks, longest=64):
        super().__init__()
        sizes = n_features, n_heads, n_hidden
        self.encoder = nn.ModuleList(EncoderBlock(*sizes) for _ in range(n_blocks))
        self.encoder_norm = nn.LayerNorm(n_features)
        self.decoder = nn.ModuleList(DecoderBlock(*sizes) for _ in range(n_blocks))
        self.decoder_norm = nn.LayerNorm(n_features)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:  # what goes into attention starts smaller, as in lesson 12.5
                goes_in = any(part in name for part in ("query", "key", "value"))
                nn.init.xavier_uniform_(parameter, gain=0.5**0.5 if goes_in else 1.0)
        self.embedding = nn.Embedding(vocabulary, n_features)
        self.read_out = nn.Linear(n_features, vocabulary)
        self.register_buffer("positions", sinusoids(longest, n_features), persistent=False)  # not saved

    def embed(self, codes):
        """(B, T) -> (B, T, D); raises ValueError if the text is longer than the positions."""
        if codes.shape[1] > len(self.positions):
            raise ValueError(f"codes have shape {tuple(codes.shape)}, positions end at {len(self.positions)}")
        return self.embedding(codes) + self.positions[: codes.shape[1]]  # (B, T, D) + (T, D) -> (B, T, D)

    def encode(self, source):
        """What the encoder makes of the source, (B, S, D), and which of it may be read, (B, 1, 1, S)."""
        memory = self.embed(source)
        mask = (source != PAD)[:, None, None, :]  # (B, S) -> (B, 1, 1, S)
        for block in self.encoder:
            memory = block(memory, mask)
        return self.encoder_norm(memory), mask

    def decode(self, target, memory, memory_mask):
        """Logits, (B, T, V), after every character of target, (B, T), and the last block's weights."""
        n = target.shape[1]
        causal = torch.ones(n, n, dtype=torch.bool, device=target.device).tril()  # (T, T)
        x = self.embed(target)
        for block in self.decoder:
            x, weights = block(x, memory, causal, memory_mask)
        return self.read_out(self.decoder_norm(x)), weights  # (B, T, D) @ (D, V) -> (B, T, V)

    def forward(self, source, target):
        logits, _ = self.decode(target, *self.encode(source))
        return logits


# %% [markdown]
# ## The same in PyTorch
#
# `nn.Transformer` is our two stacks with their norms. It keeps queries, keys and values stacked, so we bring
# our parameters into its order as in lesson 12.5, copy them, and compare outputs and gradients in float64.
# Its boolean masks say `True` where a word may _not_ be read.


# %%
def stacked(named):
    """Tensors {name: tensor} as the library lists them: queries, keys and values in one."""
    found = []
    for name, tensor in named.items():
        if "project_query" in name:
            parts = [named[name.replace("query", part)] for part in ("query", "key", "value")]
            tensor = torch.cat(parts)  # three (D, D) -> (3D, D), or three (D,) -> (3D,)
        if "project_key" not in name and "project_value" not in name:
            found.append(tensor)
    return found


# %%
our_model = Transformer(len(characters), 12, 3, 20, n_blocks=2).double()
options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
torch_layer = nn.TransformerEncoderLayer(12, 3, 20, **options)
torch_encoder = nn.TransformerEncoder(torch_layer, 2, nn.LayerNorm(12), enable_nested_tensor=False)
torch_model = nn.Transformer(12, 3, 2, 2, 20, **options, custom_encoder=torch_encoder).double()
our_stacks = nn.ModuleList(
    [our_model.encoder, our_model.encoder_norm, our_model.decoder, our_model.decoder_norm]
)
with torch.no_grad():
    for parameter in our_stacks.parameters():
        parameter.normal_(std=0.5)
    for theirs, value in zip(
        torch_model.parameters(), stacked(dict(our_stacks.named_parameters())), strict=True
    ):
        theirs.copy_(value)

check_source = encode(spellings(test_dates[0]))  # (9, S)
check_target = encode(["<" + test_dates[0].isoformat()] * 9)  # (9, 11)
padded = check_source == PAD
blocked = ~torch.ones(11, 11, dtype=torch.bool).tril()  # (T, T)
our_logits = our_model(check_source, check_target)
torch_memory = torch_model.encoder(our_model.embed(check_source), src_key_padding_mask=padded)
torch_out = torch_model.decoder(
    our_model.embed(check_target), torch_memory, tgt_mask=blocked, memory_key_padding_mask=padded
)
torch_logits = our_model.read_out(torch_out)  # (9, T, V)
cotangent = torch.randn_like(our_logits)
(our_logits * cotangent).sum().backward()
our_gradients = stacked({name: parameter.grad.clone() for name, parameter in our_stacks.named_parameters()})
(torch_logits * cotangent).sum().backward()
torch_gradients = [parameter.grad for parameter in torch_model.parameters()]
pairs = list(zip((our_logits, *our_gradients), (torch_logits, *torch_gradients), strict=True))
for ours, theirs in pairs:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-9)  # sums over 99 positions
print(f"largest difference {max((ours - theirs).abs().max().item() for ours, theirs in pairs):.1e}")

# %% [markdown]
# ## Two checks before training
#
# The loss is the mean cross-entropy of the eleven characters. We also smooth the labels. With a target of
# one and zeros, cross-entropy falls as long as the right logit grows, without end. Label smoothing (5.5)
# takes a share $\varepsilon$ of the target and spreads it over all $V$ characters: $q = (1 -
# \varepsilon)\,\text{one-hot} + \varepsilon / V$. The loss can then fall no lower than the entropy of $q$.
# (A loss over padded answers would need `ignore_index=PAD`; ours all have twelve characters.)
#
# What should the first loss be, if an untrained network gives every character the same probability? And can
# the network learn eight pairs by heart? One that cannot has a fault, and we know it in seconds.


# %%
SMOOTHING = 0.1


def smoothing_floor(smoothing, vocabulary):
    """The lowest mean cross-entropy (nats) that label smoothing leaves: the entropy of its target."""
    wrong = smoothing / vocabulary
    right = 1 - smoothing + wrong
    entropy = 0.0
    for share, n_codes in ((right, 1), (wrong, vocabulary - 1)):
        if share > 0:  # a code without a share adds nothing
            entropy -= n_codes * share * math.log(share)
    return entropy


def batch_loss(model, source, target, smoothing=0.0):
    """Mean cross-entropy (nats) of every character after the first, teacher forced."""
    logits = model(source, target[:, :-1])  # (B, 11, V)
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), label_smoothing=smoothing)


torch.manual_seed(0)
small_model = Transformer(len(characters), n_features=64, n_heads=4, n_hidden=256, n_blocks=2)
source, target = collate([DatePairs(train_dates)[9 * i] for i in range(8)])
optimizer = torch.optim.Adam(small_model.parameters(), lr=0.002)
overfit = []
for _ in range(80):
    loss = batch_loss(small_model, source, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    overfit.append(loss.item())
print(f"ln V is {math.log(len(characters)):.2f}; first loss {overfit[0]:.2f}, last loss {overfit[-1]:.4f}")

# %% [markdown]
# The first loss is close to $\ln V$, and eight pairs are learned by heart, so both checks pass.
#
# ## Training and greedy decoding
#
# The learning rate warms up and then falls along half a cosine (7.3). The network sees about a tenth of the
# pairs once each, and validation uses other days.


# %%
def rate_share(step, n_steps, n_warmup):
    """Share of the peak learning rate at a step from 0: up in a line, then down along half a cosine."""
    if step < n_warmup:
        return (step + 1) / n_warmup
    return 0.5 + 0.5 * math.cos(math.pi * (step - n_warmup) / max(1, n_steps - n_warmup))


def train(seed, n_steps=450, learning_rate=0.003, n_warmup=80, smoothing=SMOOTHING):
    """A Transformer of width 64; its losses (nats) at each step, and on validation days every 25 steps.

    Raises ValueError if one pass over the pairs has fewer than n_steps batches.
    """
    if n_steps > len(loader):
        raise ValueError(f"{n_steps} steps, but the pairs make {len(loader)} batches")
    torch.manual_seed(seed)
    model = Transformer(len(characters), n_features=64, n_heads=4, n_hidden=256, n_blocks=2).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step, n_steps, n_warmup))
    validation_pairs = DatePairs(validation_dates)
    validation_source, validation_target = collate([validation_pairs[13 * i] for i in range(200)])
    losses = []
    validation_losses = []
    for step, (source, target) in zip(range(1, n_steps + 1), loader):
        model.train()
        loss = batch_loss(model, source.to(device), target.to(device), smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 25 == 0:
            model.eval()
            with torch.no_grad():
                on_validation = batch_loss(
                    model, validation_source.to(device), validation_target.to(device), smoothing
                )
            validation_losses.append(on_validation.item())
        if step % 75 == 0:
            print(
                f"step {step:4d}   loss {np.mean(losses[-20:]):.3f}   validation {validation_losses[-1]:.3f}"
            )
    return model.eval(), np.array(losses), np.array(validation_losses)


# %%
floor = smoothing_floor(SMOOTHING, len(characters))
trained, losses, validation_losses = train(seed=0)
print(f"the floor of the smoothed loss is {floor:.3f}")

with tempfile.TemporaryDirectory() as folder:  # a checkpoint: keep what took long
    torch.save(trained.state_dict(), Path(folder) / "dates.pt")
    model = Transformer(len(characters), n_features=64, n_heads=4, n_hidden=256, n_blocks=2)
    model.load_state_dict(torch.load(Path(folder) / "dates.pt", weights_only=True))
model = model.eval()

# %% [markdown]
# Now nobody shows it the answer. In *greedy decoding* it writes the most probable character, reads what it
# has written, and goes on. A translation counts only if every character is right. How well will it do on new
# days in the eight forms, and in the ninth form?


# %%
@torch.no_grad()
def greedy(model, source, max_length=12):
    """The most probable next character, again and again: codes (B, T), from START; source: (B, S)."""
    memory, memory_mask = model.encode(source)
    target = torch.full((len(source), 1), START)
    ended = torch.zeros(len(source), dtype=torch.bool)
    while target.shape[1] < max_length and not ended.all():
        logits, _ = model.decode(target, memory, memory_mask)
        following = logits[:, -1].argmax(dim=-1).masked_fill(ended, PAD)  # (B, V) -> (B,)
        target = torch.cat([target, following[:, None]], dim=1)  # (B, T), (B, 1) -> (B, T + 1)
        ended |= following == END
    return target


# %%
checked = test_dates[:300]
wrong = []  # for each form the mistakes: (text, written, right)
exact = []  # for each form the share of right translations
for k, example in enumerate(spellings(datetime.date(1987, 5, 3))):
    texts = [spellings(date)[k] for date in checked]
    written = [decode(row) for row in greedy(model, encode(texts)).tolist()]
    triples = [(text, w, date.isoformat()) for text, w, date in zip(texts, written, checked)]
    wrong.append([triple for triple in triples if triple[1] != triple[2]])
    exact.append(1 - len(wrong[k]) / len(texts))
    print(f"{example:36s}{exact[k]:8.1%}" + "   never seen in training" * (k >= N_TRAINED))
seen_accuracy = np.mean(exact[:N_TRAINED])
print(f"the trained forms together {seen_accuracy:.1%}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(np.arange(1, len(losses) + 1), losses, color="C0", linewidth=0.8, label="training")
ax.semilogy(
    25 * np.arange(1, len(validation_losses) + 1), validation_losses, "s--", color="C1", label="validation"
)
if floor > 0:
    ax.axhline(floor, color="0.7", linewidth=0.8, zorder=0, label="floor")
ax.set(xlabel="step", ylabel="smoothed loss (nats)", title="Loss while learning to read dates")
ax.set_yticks([0.7, 1, 2, 4], ["0.7", "1", "2", "4"])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# Both losses come down to nearly the floor, and validation follows training, since no pair is seen twice.
# New days in known forms are nearly all right. But most translations of the ninth form are wrong. Which
# parts of them?

# %%
all_wrong = [triple for triples in wrong[:N_TRAINED] for triple in triples]
for text, written_text, right in [triples[0] for triples in wrong if triples]:
    print(f"{text:36s}{written_text:12s}not {right}")

PARTS = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}  # of an answer
right_parts = {}
for part, place in PARTS.items():
    misread = sum(written_text[place] != right[place] for _, written_text, right in wrong[NINTH])
    right_parts[part] = 1 - misread / len(checked)
    print(f"{'ninth form, ' + part:20s}{right_parts[part]:12.1%} right")

# %% [markdown]
# In the ninth form the network finds the month, which is a word, better than the day. Days and years are
# digits both, and can only be told apart by what stands around them. The network has never met a weekday
# in front together with a comma after the day, and that may be the reason. (From a second start and with
# other batches a quarter of the ninth form was right, and again the month was found better than the day.)
# So the network has learned to read eight forms well, and that carries over to a ninth only in part. A
# test on known forms alone would not have told us.
#
# ## What it reads while it writes
#
# The weights of the cross-attention say which characters of the source the decoder attends to, for each
# character that it writes. For one date, we draw the mean over the heads of the last block.

# %%
text = "the 23rd of September 1958"
with torch.no_grad():
    shown_source = encode([text])
    translation = greedy(model, shown_source)  # (1, 12)
    _, map_weights = model.decode(translation[:, :-1], *model.encode(shown_source))  # (1, H, 11, S)
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
image = ax.imshow(map_weights[0].mean(dim=0).numpy(), cmap="viridis", aspect="auto", vmin=0)
ax.set_xticks(range(len(text)), list(text))
ax.set_yticks(range(map_weights.shape[2]), [characters[code] for code in translation[0, 1:].tolist()])
ax.set(
    xlabel="source (key)",
    ylabel="written (query)",
    title="Cross-attention of the last block, mean of its heads",
)
fig.colorbar(image, label="weight")
plt.show()

# %% [markdown]
# Read the rows from the top. While the year is written (the first four rows) the bright fields are at the
# end of the source, where the year stands. For the month they move to the letters of the month, and for
# the day to the front. To look at the other end of the source takes one step, as many as to look at a
# neighbour (12.1).
#
# But weights alone prove little (10.5): does the network _use_ what it attends to? We hide one part of the
# source from the decoder, by the mask of the cross-attention, and count which part of the answer suffers.
# If each part is read where the weights say, only the diagonal of the table should fall.

# %%
FORM = 6  # the 23rd of September 1958


def places(date):
    """Where year, month and day stand in form 6 of a date: slices."""
    text = spellings(date)[FORM]
    name = MONTHS[date.month - 1]
    month = text.index(name)
    return {
        "year": slice(len(text) - 4, len(text)),
        "month": slice(month, month + len(name)),
        "day": slice(4, month - 4),
    }


@torch.no_grad()
def read_with_hidden(model, date, part):
    """The translation of a date in form 6 with one part hidden from the decoder, and attention weights."""
    memory, memory_mask = model.encode(encode([spellings(date)[FORM]]))
    memory_mask = memory_mask.clone()
    if part is not None:
        memory_mask[..., places(date)[part]] = False
    target = torch.tensor([[START]])
    while target.shape[1] < 12:
        logits, weights = model.decode(target, memory, memory_mask)
        target = torch.cat([target, logits[:, -1:].argmax(dim=-1)], dim=1)  # (1, T), (1, 1) -> (1, T + 1)
    return decode(target[0].tolist()), weights[0].mean(dim=0)  # (H, T, S) -> (T, S)


read_from = np.zeros((3, 3))  # rows: what is written, columns: what gets the weight
right_when_hidden = {}
for hidden_part in (None, *PARTS):
    right_when_hidden[hidden_part] = dict.fromkeys(PARTS, 0.0)
    for date in test_dates[:100]:
        written_text, weights = read_with_hidden(model, date, hidden_part)
        for row, (part, place) in enumerate(PARTS.items()):
            right = written_text[place] == date.isoformat()[place]
            right_when_hidden[hidden_part][part] += right / 100
            if hidden_part is None:
                for column, piece in enumerate(places(date).values()):
                    read_from[row, column] += weights[place, piece].sum(dim=1).mean().item() / 100

print(f"{'weight on the':20s}" + "".join(f"{part:>12s}" for part in PARTS))
for part, row in zip(PARTS, read_from):
    print(f"{'writing the ' + part:20s}" + "".join(f"{share:12.2f}" for share in row))
print(f"\n{'right':20s}" + "".join(f"{part:>12s}" for part in PARTS))
for hidden_part, shares in right_when_hidden.items():
    name = f"{hidden_part} hidden" if hidden_part else "nothing hidden"
    print(f"{name:20s}" + "".join(f"{share:12.2f}" for share in shares.values()))

# %% [markdown]
# The first table says where the weights go, and each part of the answer gets its largest share from its
# own part of the source. The second one says what is used. If a part is hidden, that part of the answer
# is lost in nearly every date. The others suffer less, but they are not untouched, perhaps because the
# encoder has mixed the characters, or because a gap is something that the decoder has never met.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert abs(overfit[0] - math.log(len(characters))) < 0.5, "the first loss is close to ln V"
assert overfit[-1] < 0.05, "eight pairs are learned by heart"
assert floor < losses[-20:].mean() < floor + 0.2, "the loss comes down to nearly its floor"
assert abs(validation_losses[-1] - losses[-20:].mean()) < 0.05, "validation follows training"
assert seen_accuracy >= 0.95, "new days in known forms are nearly all right"
assert exact[NINTH] < 0.5, "most translations of the ninth form are wrong"
assert right_parts["month"] > right_parts["day"], "in the ninth form the month is found better than the day"
assert (read_from.argmax(axis=1) == range(3)).all(), "each part gets its largest share from its own part"
for part in PARTS:
    shares = right_when_hidden[part]
    assert right_when_hidden[None][part] > 0.9, "with nothing hidden nearly all is right"
    assert shares[part] < 0.35, "a part that is hidden is lost"
    assert min(shares, key=shares.get) == part, "the other parts suffer less"

# %% [markdown]
# ## Going further
#
# This can be skipped: another way to decode, and what the probabilities say.
#
# ### Beam search
#
# Greedy decoding never takes back a choice. On paper: first _a_ with probability $0.6$ or _b_ with $0.4$;
# after _a_, either of two endings with $0.5$; after _b_, _a_ with $0.9$. Greedy takes the first _a_ and
# ends with $0.6 \cdot 0.5 = 0.3$. *Beam search* keeps the best $k$ beginnings, and finds _ba_,
# $0.4 \cdot 0.9 = 0.36$.


# %%
@torch.no_grad()
def beam_search(step, beam_width, max_length=12):
    """The most probable text found, codes (T,) from START, and its log-probability (nats).

    step: from beginnings (K, T) to log-probabilities (K, V) of the next code; the best `beam_width`
    continuations of all are kept at every length. Ends with END, or is cut off at max_length codes.
    """
    beams = torch.tensor([[START]])
    scores = torch.zeros(1)
    finished = []
    while len(beams) and beams.shape[1] < max_length:
        totals = scores[:, None] + step(beams)  # (K, 1) + (K, V) -> (K, V)
        best = totals.flatten().topk(min(beam_width, totals.numel()))  # of (K * V,)
        rows = best.indices // totals.shape[1]  # (k,)
        codes = best.indices % totals.shape[1]  # (k,)
        beams = torch.cat([beams[rows], codes[:, None]], dim=1)  # (k, T), (k, 1) -> (k, T + 1)
        ended = codes == END
        finished += zip(best.values[ended].tolist(), beams[ended])
        alive = ~ended & best.values.isfinite()
        beams = beams[alive]
        scores = best.values[alive]
        if finished and len(scores) and max(finished, key=lambda found: found[0])[0] >= scores.max():
            break  # what is still open can only become less probable
    finished += zip(scores.tolist(), beams)
    score, codes = max(finished, key=lambda found: found[0])
    return codes, score


A, B = 3, 4  # two letters after PAD, START and END
tree = {
    (): {A: 0.6, B: 0.4},
    (A,): {A: 0.5, B: 0.5},
    (B,): {A: 0.9, B: 0.1},
}


def on_paper(beams):
    """The next letter's log-probabilities in the tree, (K, T) -> (K, 5): two letters, then END."""
    following = [tree.get(tuple(beam[1:]), {END: 1.0}) for beam in beams.tolist()]
    return torch.tensor([[chances.get(code, 0.0) for code in range(5)] for chances in following]).log()


for beam_width in (1, 2):
    codes, score = beam_search(on_paper, beam_width)
    found_text = "".join(" <>ab"[code] for code in codes)
    print(f"beam {beam_width}: {found_text} with probability {math.exp(score):.2f}")
assert codes.tolist() == [START, B, A, END] and math.isclose(math.exp(score), 0.36, rel_tol=1e-6)

# %% [markdown]
# Does it improve our translations? We put greedy decoding and beam search side by side, on the texts that
# greedy decoding got wrong: some of the ninth form, and all of the trained ones. (All answers here are
# equally long, so we need no correction for length, without which beam search prefers short ones.)


# %%
@torch.no_grad()
def translation_step(model, text):
    """For `beam_search`: the model's log-probabilities of the next code of text's translation."""
    memory, mask = model.encode(encode([text]))

    def step(beams):
        logits, _ = model.decode(beams, memory.expand(len(beams), -1, -1), mask)  # (K, T, V)
        return F.log_softmax(logits[:, -1], dim=-1)  # (K, V)

    return step


compared = all_wrong + wrong[NINTH][:20]
mended = 0
more_probable = 0
print(f"{'':36s}{'right':>12s}{'greedy':>20s}{'beam of 4':>20s}")
for k, (text, _, right) in enumerate(compared):
    greedy_codes, greedy_score = beam_search(translation_step(model, text), beam_width=1)
    beam_codes, beam_score = beam_search(translation_step(model, text), beam_width=4)
    mended += decode(beam_codes) == right
    more_probable += beam_score > greedy_score + 1e-6
    if k >= len(compared) - 8:
        by_greedy = f"{decode(greedy_codes)} {math.exp(greedy_score):.3f}"
        by_beam = f"{decode(beam_codes)} {math.exp(beam_score):.3f}"
        print(f"{text:36s}{right:>12s}{by_greedy:>20s}{by_beam:>20s}")
print(f"of {len(compared)}: a more probable text for {more_probable}, the right one for {mended}")

# %% [markdown]
# Beam search sometimes finds a text that the network holds more probable, but seldom the right one. Where
# the network gives a wrong answer a higher probability than the right one, no better search can mend it.
#
# ### How sure is it?
#
# The probabilities of the characters multiply to that of the whole text. Smoothed labels ask for
# $1 - \varepsilon + \varepsilon / V$ for each character and no more, so a sure answer should come out near
# the eleventh power of that. We compare right translations with wrong ones, of all nine forms. Then come
# texts that it can read and was never meant to: days that cannot be, two days, no day.


# %%
@torch.no_grad()
def text_probabilities(model, source, target):
    """Probability of every whole target, (B, T), END included, PAD left out, given source, (B, S): (B,)."""
    log_probabilities = F.log_softmax(model(source, target[:, :-1]), dim=-1)  # (B, T - 1, V)
    chosen = log_probabilities.gather(2, target[:, 1:, None])[:, :, 0]  # (B, T - 1, 1) -> (B, T - 1)
    return chosen.masked_fill(target[:, 1:] == PAD, 0.0).sum(dim=1).exp()


sure = {"right": [], "wrong": []}
for k in range(len(exact)):
    form_source = encode([spellings(date)[k] for date in checked])
    translations = greedy(model, form_source)
    probabilities = text_probabilities(model, form_source, translations)
    for codes, date, probability in zip(translations.tolist(), checked, probabilities.tolist()):
        sure["right" if decode(codes) == date.isoformat() else "wrong"].append(probability)
asked_for = (1 - SMOOTHING + SMOOTHING / len(characters)) ** 11
medians = {name: np.median(values) for name, values in sure.items()}
print(f"asked for {asked_for:.3f}", end="; ")
print(f"median of right ones {medians['right']:.3f}, of wrong ones {medians['wrong']:.3f}")

nonsense = (
    *("31 February 1999", "the 99th of December 1999", "13/13/2013", "September 1752"),
    *("5 Jan 1987, 6 Jan 1987", "May May May", "Friday", "1987-05-03"),
)
translations = greedy(model, encode(nonsense))
nonsense_probabilities = text_probabilities(model, encode(nonsense), translations).tolist()
for text, codes, probability in zip(nonsense, translations.tolist(), nonsense_probabilities):
    print(f"{text:28s}{decode(codes):14s}{probability:8.3f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, style, color in (("right", "-", "C0"), ("wrong", "--", "C1")):
    values = np.sort(sure[name])
    shares = np.arange(1, len(values) + 1) / len(values)
    ax.step(values, shares, style, color=color, label=f"{name} translations")
ax.plot(nonsense_probabilities, np.full(len(nonsense), 0.03), "^", color="0.2", mfc="none", label="nonsense")
ax.axvline(asked_for, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="probability of the whole text (grey: asked for)", ylabel="share at or below", xlim=(0, None))
ax.set_title("How probable right and wrong translations are")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Right translations lie near the probability that was asked for, and wrong ones are less probable. But look
# at the triangles: a day that cannot be, in a form that it knows, may get a higher probability than a
# typical mistake. The network has learned to copy, and no calendar. So a low probability is a reason for
# doubt, but a high one does not prove that the answer makes sense.

# %%
assert mended <= len(compared) / 2, "beam search seldom finds the right one"
assert 0.8 < medians["right"] / asked_for < 1.2, "right translations lie near what was asked for"
assert medians["wrong"] < 0.85 * medians["right"], "wrong translations are less probable"
assert max(nonsense_probabilities[:2]) > medians["wrong"], "a day that cannot be may look more probable"

# %% [markdown]
# ## What to remember
#
# - Teacher forcing trains all places of the target at once: the decoder reads the answer shifted by one
#   place, under a causal mask.
# - Two checks before training: the first loss is $\ln V$, and one batch can be learned by heart.
# - A test on new days says how well the network reads new days in known forms, and nothing about new
#   forms. So the test set must contain what you want to make a claim about.
# - Cross-attention shows where each character is read; hiding that place shows that it is used.
# - Greedy decoding takes the most probable next character, beam search keeps the best few beginnings.
#   Neither repairs what the network does not know.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `N_TRAINED = 9`, so that the ninth form is trained, too. Does it cost the others anything? Look at
#    the printed shares of right translations.
# 2. Set `SMOOTHING = 0.0`. Where will both losses in the first figure end, and what is their floor now?
# 3. From a blank cell at the end: write dates in a form of your own, such as the year first with the month
#    as a word, and count how many of a hundred test dates are translated right. Which part is found best?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3 and 5: the whole network and its
#   training. Reproduced: test_mini_transformer_matches_the_library.
# - C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7:
#   label smoothing. Reproduced: "right translations lie near what was asked for".
# - I. Sutskever, O. Vinyals, Q. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014,
#   section 3.2: beam search.
