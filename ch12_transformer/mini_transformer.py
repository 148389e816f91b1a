# %% [markdown]
# # 12.7 Mini-Transformer: a network learns to read dates
#
# *3 May 1987*, *5/3/1987*, *03.05.1987* and *the 3rd of May 1987* are one and the same day. You see that
# at a glance, and you would have some work to write down all the rules by which you see it. A translator
# does not get rules. It gets pairs: this is how they write it, that is what it means.
#
# **You will build** a Transformer that translates dates into the international form, 1987-05-03, whole:
# data, model, checks, training, two ways to decode, and a look at what it reads. **You need** encoder and
# decoder blocks (12.5), warm-up (7.3), and cross-entropy (5.5). **It takes** about a minute.

# %%
import datetime
import math

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
# The decoder writes one character at a time, given the source and what is written so far. Let `<` open a
# translation and `>` end it. From *3 May 1987* it must make ten decisions and a stop. In training we know
# the right answer, so all eleven are trained at once: the decoder reads the answer shifted by one place,
# and the causal mask keeps it from peeking. That is teacher forcing again (12.1).

# %%
answer = "<1987-05-03>"
decoder_reads, decoder_writes = answer[:-1], answer[1:]
print("reads ", " ".join(decoder_reads))
print("writes", " ".join(decoder_writes))
assert all(decoder_writes[t] == decoder_reads[t + 1] for t in range(len(decoder_reads) - 1))

# %% [markdown]
# ## The dates
#
# Every day from 1950 to 2049, in eight ways of writing. A point puts the day first, a slash the month; two
# digits of a year from 50 on mean the 1900s. A thousand days are kept for the test in every form. A
# ninth way is kept away altogether, made of pieces that occur in the others: will it be understood?

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
    day, month, year, name = date.day, date.month, date.year, MONTHS[date.month - 1]
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


# %%
N_TRAINED = 8  # forms; the last one is held out
first_day, n_test = datetime.date(1950, 1, 1), 1000
n_days = (datetime.date(2050, 1, 1) - first_day).days
dates = [first_day + datetime.timedelta(days=int(k)) for k in rng.permutation(n_days)]
test_dates, train_dates = dates[:n_test], dates[n_test:]
print(f"{len(train_dates):,} days to learn from, {len(test_dates):,} for the test; the first one's forms:")
for form in spellings(test_dates[0]):
    print(f"    {form:36s}{test_dates[0].isoformat()}")
assert not set(train_dates) & set(test_dates)

# %% [markdown]
# Characters become numbers; 0 fills up the shorter texts of a batch. The characters are those of the
# eight forms and of the answers. For any other the network has no vector, and we refuse it.


# %%
PAD, START, END = 0, 1, 2
seen = set("0123456789-").union(*(form for date in train_dates for form in spellings(date)[:N_TRAINED]))
characters = ["", "<", ">", *sorted(seen)]  # nothing is printed for padding
number = {character: i for i, character in enumerate(characters)}


def encode(texts):
    """Texts as codes, (B, longest), filled up with PAD; raises ValueError at an unknown character."""
    for text in texts:
        if unknown := set(text) - number.keys():
            raise ValueError(f"{text!r} has characters outside the vocabulary: {sorted(unknown)}")
    longest = max(map(len, texts))
    return torch.tensor([[number[c] for c in text] + [PAD] * (longest - len(text)) for text in texts])


def decode(codes):
    """The text of a row of codes, (T,), from after START to before the first END."""
    text = "".join(characters[code] for code in codes)
    return text.removeprefix("<").partition(">")[0]


batch = encode(["3 May 1987", "May 3, 1987"])
print(len(characters), "characters;", batch.tolist()[0])
assert batch.shape == (2, 11) and decode(batch[0].tolist()) == "3 May 1987"
try:
    encode(["3 mayo 1987 ☺"])
except ValueError as error:
    print("refused:", error)
else:
    raise AssertionError("a smiley is no character of a date")

# %% [markdown]
# ## The model
#
# The parts are those of lesson 12.5, pre-norm only, and without dropout: there are far more texts than the
# network will see, so it cannot learn them by heart.


# %%
class MultiHeadAttention(nn.Module):
    """Attention of x, (B, T, D), to source, (B, S, D); mask: to (B, H, T, S), True = may attend."""

    def __init__(self, width, n_heads):
        super().__init__()
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.n_heads = n_heads

    def heads(self, x, source):
        """Queries, (B, H, T, d), keys and values, (B, H, S, d)."""
        weight, bias, width = self.project_in.weight, self.project_in.bias, x.shape[-1]
        query = F.linear(x, weight[:width], bias[:width])  # (B, T, D) @ (D, D) -> (B, T, D)
        both = F.linear(source, weight[width:], bias[width:])  # (B, S, D) @ (D, 2D) -> (B, S, 2D)
        parts = query, *both.chunk(2, dim=-1)
        return [part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in parts]  # (B, H, T, d)

    def forward(self, x, source, mask=None):
        mixed = F.scaled_dot_product_attention(*self.heads(x, source), mask)  # (B, H, T, d)
        return self.project_out(mixed.transpose(1, 2).flatten(2))  # (B, H, T, d) -> (B, T, D)


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, (B, T, D) to the same."""

    def __init__(self, width, n_heads, hidden):
        super().__init__()
        self.attention = MultiHeadAttention(width, n_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, mask=None):
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed, mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


# %%
class DecoderBlock(nn.Module):
    """Pre-norm self-attention, cross-attention to memory, (B, S, D), feed-forward: (B, T, D) to the same."""

    def __init__(self, width, n_heads, hidden):
        super().__init__()
        self.attention = MultiHeadAttention(width, n_heads)
        self.cross_attention = MultiHeadAttention(width, n_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.attention_norm, self.cross_norm, self.feed_forward_norm = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x, memory, mask=None, memory_mask=None):
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed, mask)
        x = x + self.cross_attention(self.cross_norm(x), memory, memory_mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


def sinusoids(length, width):
    """Positional encodings, (length, width), sines and cosines in turn; Vaswani et al. 2017, 3.5."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))  # (D / 2,)
    angles = torch.arange(length)[:, None] * rates  # (T, 1) * (D / 2,) -> (T, D / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, D / 2, 2) -> (T, D)


# %% [markdown]
# Encoding happens once a text, decoding once a character, so the model offers both apart. `nn.Embedding`
# starts with a spread of one, as large as the sines need; lesson 12.5's factor $\sqrt D$ made up for a
# shared matrix, which we do not have.


# %%
class Transformer(nn.Module):
    """Logits (B, T, V) of the next character, from codes source (B, S) and target (B, T)."""

    def __init__(self, vocabulary, width, n_heads, hidden, n_layers, longest=64):
        super().__init__()
        self.encoder = nn.ModuleList(EncoderBlock(width, n_heads, hidden) for _ in range(n_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(DecoderBlock(width, n_heads, hidden) for _ in range(n_layers))
        self.decoder_norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        self.embedding, self.read_out = nn.Embedding(vocabulary, width), nn.Linear(width, vocabulary)
        self.register_buffer("positions", sinusoids(longest, width), persistent=False)  # not saved

    def embed(self, codes):
        """(B, T) -> (B, T, D); raises ValueError where the text is longer than the positions."""
        if codes.shape[1] > len(self.positions):
            raise ValueError(f"codes have shape {tuple(codes.shape)}, positions end at {len(self.positions)}")
        return self.embedding(codes) + self.positions[: codes.shape[1]]  # (B, T, D) + (T, D) -> (B, T, D)

    def encode(self, source):
        """What the encoder makes of the source, (B, S, D), and which of it may be read, (B, 1, 1, S)."""
        memory, mask = self.embed(source), (source != PAD)[:, None, None, :]  # (B, S) -> (B, 1, 1, S)
        for block in self.encoder:
            memory = block(memory, mask)
        return self.encoder_norm(memory), mask

    def decode(self, target, memory, memory_mask):
        """Logits, (B, T, V), after every character of target, (B, T)."""
        h = self.embed(target)
        causal = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).tril()  # (T, T)
        for block in self.decoder:
            h = block(h, memory, causal, memory_mask)
        return self.read_out(self.decoder_norm(h))  # (B, T, D) @ (D, V) -> (B, T, V)

    def forward(self, source, target):
        return self.decode(target, *self.encode(source))


# %% [markdown]
# ## The same in PyTorch
#
# `nn.Transformer` is our two stacks with their norms. We switch off nested tensors, its shortcut around
# padding, copy our parameters in order, and compare what comes out of the last norm, and the gradients, in
# float64. Its boolean masks say True where a word may *not* be read.

# %%
our_model = Transformer(len(characters), 12, 3, 20, n_layers=2).double()
options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
layer = nn.TransformerEncoderLayer(12, 3, 20, **options)
torch_encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(12), enable_nested_tensor=False)
torch_model = nn.Transformer(12, 3, 2, 2, 20, **options, custom_encoder=torch_encoder).double()
stacks = our_model.encoder, our_model.encoder_norm, our_model.decoder, our_model.decoder_norm
our_parameters = [parameter for stack in stacks for parameter in stack.parameters()]
torch_parameters = list(torch_model.parameters())
with torch.no_grad():
    for ours, theirs in zip(our_parameters, torch_parameters, strict=True):
        theirs.copy_(ours.normal_(std=0.5))

# %%
source, target = encode(spellings(test_dates[0])), encode(["<" + test_dates[0].isoformat()] * 9)
memory, _ = our_model.encode(source)
padded = source == PAD  # (9, S)
causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1]).isinf()  # (T, T): True is blocked
torch_memory = torch_model.encoder(our_model.embed(source), src_key_padding_mask=padded)
torch_out = torch_model.decoder(
    our_model.embed(target), torch_memory, tgt_mask=causal, memory_key_padding_mask=padded
)
our_logits, torch_logits = our_model(source, target), our_model.read_out(torch_out)  # (9, T, V)
cotangent = torch.randn_like(our_logits)
our_gradients = torch.autograd.grad((our_logits * cotangent).sum(), our_parameters)
torch_gradients = torch.autograd.grad((torch_logits * cotangent).sum(), torch_parameters)
largest = 0.0
for ours, theirs in zip((memory, our_logits, *our_gradients), (torch_memory, torch_logits, *torch_gradients)):
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-9)  # sums over 99 positions
    largest = max(largest, (ours - theirs).abs().max().item())
print(f"largest difference {largest:.1e}")

# %% [markdown]
# ## A target that is not quite certain
#
# Cross-entropy against a certain answer is never satisfied: it wants the right logit ever larger. *Label
# smoothing* takes a share $\varepsilon$ of the target and spreads it over all $V$ characters:
# $q = (1 - \varepsilon)\,\text{one-hot} + \varepsilon / V$. On paper, with four characters and
# $\varepsilon = 0.2$: the right one is wanted at $0.85$, the others at $0.05$, and the loss has a floor,
# the entropy of $q$.

# %%
q = torch.tensor([0.85, 0.05, 0.05, 0.05], dtype=torch.float64)
logits = torch.tensor([2.0, 0.5, -1.0, 0.0], dtype=torch.float64)
by_hand = -(q * F.log_softmax(logits, dim=0)).sum().item()
by_torch = F.cross_entropy(logits, torch.tensor(0), label_smoothing=0.2).item()
print(f"by hand {by_hand:.6f}, library {by_torch:.6f}, floor {-(q * q.log()).sum():.3f} nats")
assert math.isclose(by_hand, by_torch, rel_tol=1e-12)


def smoothing_floor(smoothing, vocabulary):
    """The lowest mean cross-entropy (nats) that label smoothing leaves: the entropy of its target."""
    wrong = smoothing / vocabulary
    right = 1 - smoothing + wrong
    return -right * math.log(right) - (vocabulary - 1) * wrong * math.log(wrong)


# %% [markdown]
# ## Two checks before training
#
# An untrained network should know nothing, at about $\ln V$ nats. And it should be able to learn a few
# texts by heart: *overfit one batch*. A network that cannot has a bug, and we know it in seconds.


# %%
def make_batch(dates, rng):
    """Each date in one of the trained forms: codes source (B, S) and target (B, 12), with START and END."""
    texts = [spellings(date)[rng.integers(N_TRAINED)] for date in dates]
    return encode(texts), encode([f"<{date.isoformat()}>" for date in dates])


def batch_loss(model, source, target, smoothing=0.0):
    """Mean cross-entropy (nats) of every character after the first, teacher forced."""
    logits = model(source, target[:, :-1])  # (B, 11, V)
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), label_smoothing=smoothing)


torch.manual_seed(0)
model = Transformer(len(characters), width=64, n_heads=4, hidden=256, n_layers=2)
source, target = make_batch(train_dates[:8], rng)
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
overfit = []
while len(overfit) < 80:
    loss = batch_loss(model, source, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    overfit.append(loss.item())
print(f"ln V is {math.log(len(characters)):.2f}; first loss {overfit[0]:.2f}, last loss {overfit[-1]:.4f}")
assert abs(overfit[0] - math.log(len(characters))) < 0.5 and overfit[-1] < 0.05

# %% [markdown]
# ## Training
#
# Adam with the paper's $\beta_2 = 0.98$, a learning rate that warms up and then falls along a cosine, and
# smoothed labels. The loss is on texts that the network nearly always meets for the first time.


# %%
def rate_share(step, n_steps, n_warmup):
    """Share of the peak learning rate at a step from 0: up in a line, then down along half a cosine."""
    falling = 0.5 + 0.5 * math.cos(math.pi * max(0, step - n_warmup) / (n_steps - n_warmup))
    return min((step + 1) / n_warmup, falling)


def train(seed, n_steps=450, batch_size=64, learning_rate=0.003, n_warmup=80, smoothing=0.1):
    """A Transformer of width 64 trained on fresh batches, and its losses (nats), (n_steps,)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Transformer(len(characters), width=64, n_heads=4, hidden=256, n_layers=2)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    losses = []
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = learning_rate * rate_share(step, n_steps, n_warmup)
        rows = rng.integers(len(train_dates), size=batch_size)
        loss = batch_loss(model, *make_batch([train_dates[row] for row in rows], rng), smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 75 == 74:
            print(f"step {step + 1:4d}   loss {np.mean(losses[-20:]):.3f}")
    return model.eval(), np.array(losses)


floor = smoothing_floor(0.1, len(characters))
model, losses = train(seed=0)
print(f"the floor of the smoothed loss is {floor:.3f}")
assert floor < losses[-20:].mean() < floor + 0.2

# %% [markdown]
# ## Greedy decoding
#
# Now nobody shows it the answer. It writes the likeliest character, reads what it has written, and goes
# on. A translation counts only if every character is right.


# %%
@torch.no_grad()
def greedy(model, source, max_length=12):
    """The likeliest next character, again and again: codes (B, T), from START; source: (B, S)."""
    memory_and_mask = model.encode(source)
    target = torch.full((len(source), 1), START)
    ended = torch.zeros(len(source), dtype=torch.bool)
    while target.shape[1] < max_length and not ended.all():
        following = model.decode(target, *memory_and_mask)[:, -1].argmax(dim=-1)  # (B, V) -> (B,)
        following = following.masked_fill(ended, PAD)
        target = torch.cat([target, following[:, None]], dim=1)  # (B, T), (B, 1) -> (B, T + 1)
        ended |= following == END
    return target


wrong, exact, checked = [], [], test_dates[:300]
for k, example in enumerate(spellings(datetime.date(1987, 5, 3))):
    texts = [spellings(date)[k] for date in checked]
    written = [decode(row) for row in greedy(model, encode(texts)).tolist()]
    pairs = [(t, w, date.isoformat()) for t, w, date in zip(texts, written, checked)]
    mistakes = [pair for pair in pairs if pair[1] != pair[2]]
    wrong.append(mistakes)
    exact.append(1 - len(mistakes) / len(texts))
    print(f"{example:36s}{exact[k]:8.1%}" + "   never seen in training" * (k == N_TRAINED))

seen_accuracy, new_accuracy = np.mean(exact[:N_TRAINED]), exact[N_TRAINED]
print(f"the eight trained forms together {seen_accuracy:.1%}")
assert seen_accuracy >= 0.95 and new_accuracy < seen_accuracy - 0.2

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(losses, color="C1")
ax.axhline(floor, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step", ylabel="smoothed loss (nats)", title="The loss comes down to its floor (grey)")
ax.set_yticks([0.7, 1, 2, 4], ["0.7", "1", "2", "4"])
ax.minorticks_off()
plt.show()

# %% [markdown]
# ## The wrong ones
#
# Look at the mistakes before you count them.

# %%
for text, written, right in [pair for pairs in wrong[:N_TRAINED] for pair in pairs[:2]]:
    print(f"{text:36s}{written:12s}not {right}")
all_wrong = [pair for pairs in wrong[:N_TRAINED] for pair in pairs]
reordered = np.mean([sorted(written) == sorted(right) for _, written, right in all_wrong])
print(f"{len(all_wrong)} wrong, {reordered:.0%} of them with the right digits in a wrong order or place")
assert reordered > 0.6

print(f"\n{'the ninth form':20s}{'right':>12s}")
parts = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}
right_parts = {}
for part, place in parts.items():
    misread = sum(written[place] != right[place] for _, written, right in wrong[N_TRAINED])
    right_parts[part] = 1 - misread / len(checked)
    print(f"{part:20s}{right_parts[part]:12.1%}")
assert right_parts["month"] > 0.8 and right_parts["day"] < 0.6

# %% [markdown]
# The network reads the digits and sometimes loses their order: its sense of place is the weakest part.
# The form it never saw shows what it has learned. The month, a word, it nearly always finds. Days and
# years are digits both, told apart by what stands around them, and a weekday *and* a comma after the day
# are company they never kept. It has learned eight forms well, not the idea of a date.
#
# ## Beam search
#
# Greedy decoding never takes back a choice. On paper: first *a* with probability $0.6$ or *b* with $0.4$;
# after *a*, either of two endings with $0.5$; after *b*, *a* with $0.9$. Greedy takes the first *a* and
# ends with $0.3$. *Beam search* keeps the best $k$ beginnings, and finds *ba*, $0.4 \cdot 0.9 = 0.36$.


# %%
@torch.no_grad()
def beam_search(step, beam_width, max_length=12):
    """The likeliest text found, codes (T,) from START, and its log-probability (nats).

    step: from beginnings (K, T) to log-probabilities (K, V) of the next code; the best `beam_width`
    continuations of all are kept at every length. Ends with END, or is cut off at max_length codes.
    """
    beams, scores, finished = torch.tensor([[START]]), torch.zeros(1), []
    while len(beams) and beams.shape[1] < max_length:
        totals = scores[:, None] + step(beams)  # (K, 1) + (K, V) -> (K, V)
        best = totals.flatten().topk(min(beam_width, totals.numel()))  # of (K * V,)
        rows, codes = best.indices // totals.shape[1], best.indices % totals.shape[1]  # (k,) each
        beams = torch.cat([beams[rows], codes[:, None]], dim=1)  # (k, T), (k, 1) -> (k, T + 1)
        ended = codes == END
        finished += zip(best.values[ended].tolist(), beams[ended])
        alive = ~ended & best.values.isfinite()
        beams, scores = beams[alive], best.values[alive]
        if finished and len(scores) and max(finished, key=lambda found: found[0])[0] >= scores.max():
            break  # what is still open can only become less likely
    finished += zip(scores.tolist(), beams)
    score, codes = max(finished, key=lambda found: found[0])
    return codes, score


# %%
A, B = 3, 4  # two letters after PAD, START and END
tree = {
    (): {A: 0.6, B: 0.4},
    (A,): {A: 0.5, B: 0.5},
    (B,): {A: 0.9, B: 0.1},
}


def on_paper(beams):
    """The next letter's log-probabilities in the tree, (K, T) -> (K, 5): two letters, then END."""
    following = [tree.get(tuple(beam[1:]), {END: 1.0}) for beam in beams.tolist()]
    return torch.tensor([[options.get(code, 0.0) for code in range(5)] for options in following]).log()


for beam_width in (1, 2):
    codes, score = beam_search(on_paper, beam_width)
    letters = "".join(" <>ab"[code] for code in codes)
    print(f"beam {beam_width}: {letters} with probability {math.exp(score):.2f}")
assert codes.tolist() == [START, B, A, END] and math.isclose(math.exp(score), 0.36, rel_tol=1e-6)

# %% [markdown]
# Does it mend our translations? All answers here are equally long, so we need no correction for length,
# without which beam search prefers short ones.


# %%
@torch.no_grad()
def translation_step(model, text):
    """For `beam_search`: the model's log-probabilities of the next code of text's translation."""
    memory, mask = model.encode(encode([text]))

    def step(beams):
        logits = model.decode(beams, memory.expand(len(beams), -1, -1), mask)[:, -1]  # (K, T, V) -> (K, V)
        return F.log_softmax(logits, dim=-1)

    return step


for text, _, _ in all_wrong[:3] + wrong[N_TRAINED][:1]:
    codes, score = beam_search(translation_step(model, text), beam_width=4)
    _, greedy_score = beam_search(translation_step(model, text), beam_width=1)
    print(f"{text}: beam {decode(codes)} at {math.exp(score):.3f}, greedy at {math.exp(greedy_score):.3f}")
mended = sum(
    decode(beam_search(translation_step(model, text), 4)[0]) == right for text, _, right in all_wrong
)
print(f"beam search mends {mended} of {len(all_wrong)}")
assert mended <= len(all_wrong) / 2

# %% [markdown]
# It seldom helps here. The network prefers its wrong answer, and a better search finds that all the
# better.
#
# ## How sure is it?
#
# The probabilities of the characters multiply to that of the whole text. Smoothed labels ask for
# $1 - \varepsilon + \varepsilon / V$ a character and no more, so a sure answer should come out near the
# eleventh power of that. We compare right translations with wrong ones.


# %%
@torch.no_grad()
def text_probabilities(model, source, target):
    """Probability of every whole target, (B, T), END included, PAD left out, given source, (B, S): (B,)."""
    log_probabilities = F.log_softmax(model(source, target[:, :-1]), dim=-1)  # (B, T - 1, V)
    chosen = log_probabilities.gather(2, target[:, 1:, None])[:, :, 0]  # (B, T - 1, 1) -> (B, T - 1)
    return chosen.masked_fill(target[:, 1:] == PAD, 0.0).sum(dim=1).exp()


sure = {"right": [], "wrong": []}
for k in range(N_TRAINED):
    source = encode([spellings(date)[k] for date in checked])
    translations = greedy(model, source)
    for codes, date, probability in zip(
        translations.tolist(), checked, text_probabilities(model, source, translations).tolist()
    ):
        sure["right" if decode(codes) == date.isoformat() else "wrong"].append(probability)
ceiling = (1 - 0.1 + 0.1 / len(characters)) ** 11
medians = {name: np.median(values) for name, values in sure.items()}
print(f"asked for {ceiling:.3f}; median where right {medians['right']:.3f}, wrong {medians['wrong']:.3f}")
assert 0.8 < medians["right"] / ceiling < 1.2 and medians["wrong"] < 0.85 * medians["right"]

# %% [markdown]
# Now texts that it can read and was never meant to: no day, two days, a day in the form of its own
# answers.

# %%
nonsense = (
    *("31 February 1999", "the 99th of December 1999", "13/13/2013", "September 1752"),
    *("5 Jan 1987, 6 Jan 1987", "May May May", "Friday", "1987-05-03"),
)
source = encode(nonsense)
translations = greedy(model, source)
nonsense_probabilities = text_probabilities(model, source, translations).tolist()
for text, codes, probability in zip(nonsense, translations.tolist(), nonsense_probabilities):
    print(f"{text:28s}{decode(codes):14s}{probability:8.3f}")
assert nonsense_probabilities[nonsense.index("Friday")] < 0.5 * medians["right"]
assert max(nonsense_probabilities[:2]) > medians["wrong"]  # days that cannot be, in trained forms

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, style, color in (("right", "-", "C0"), ("wrong", "--", "C1")):
    values = np.sort(sure[name])
    ax.step(
        values, np.arange(1, len(values) + 1) / len(values), style, color=color, label=f"{name} translations"
    )
ax.plot(nonsense_probabilities, np.full(len(nonsense), 0.03), "^", color="0.2", mfc="none", label="nonsense")
ax.axvline(ceiling, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="probability of the whole text (grey: asked for)", ylabel="share at or below", xlim=(0, None))
ax.set_title("Wrong answers are less sure; some nonsense is not")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# A text without a date gets a low probability. A date that cannot be, in a form that it knows, does not
# trouble it, and a missing day it makes up: it has learned to copy, and no calendar. Low probability is a
# warning; high probability is no proof.
#
# ## What it reads as it writes
#
# The cross-attention says where each written character came from. `scaled_dot_product_attention` keeps its
# weights to itself, so a hook (4.3) catches what goes into the last decoder block's cross-attention, and
# we compute the softmax again.


# %%
@torch.no_grad()
def reading_weights(model, source, target):
    """Cross-attention of the last decoder block, mean of its heads: (B, T) to (B, S) gives (B, T, S)."""
    attention, caught = model.decoder[-1].cross_attention, []
    handle = attention.register_forward_pre_hook(lambda module, inputs: caught.append(inputs))
    try:
        model(source, target)
    finally:
        handle.remove()
    x, memory, mask = caught[0]
    query, key, _ = attention.heads(x, memory)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])  # (B, H, T, d) @ (B, H, d, S)
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).mean(dim=1)  # (B, H, T, S) -> (B, T, S)


# %% [markdown]
# For a hundred test dates written as *the 23rd of September 1958* we know which source characters are the
# day, the month and the year. How much of the attention goes to each while each is written?

# %%
read_from = np.zeros((3, 3))  # rows: what is written, columns: what is read
for date in test_dates[:100]:
    text, name = spellings(date)[6], MONTHS[date.month - 1]
    source = encode([text])
    weights = reading_weights(model, source, greedy(model, source)[:, :-1])[0]  # (11, S)
    month, n = text.index(name), len(text)
    pieces = slice(n - 4, n), slice(month, month + len(name)), slice(4, month - 4)  # year, month, day
    for row, place in enumerate(parts.values()):
        for column, piece in enumerate(pieces):
            read_from[row, column] += weights[place, piece].sum(dim=1).mean().item() / 100

print(f"{'writes':20s}" + "".join(f"{'reads ' + part:>12s}" for part in parts))
for part, row in zip(parts, read_from):
    print(f"{part:20s}" + "".join(f"{share:12.2f}" for share in row))
assert (read_from.argmax(axis=1) == range(3)).all() and read_from.diagonal().min() > 0.35

# %%
text = "the 23rd of September 1958"
source = encode([text])
translation = greedy(model, source)
weights = reading_weights(model, source, translation[:, :-1])[0]  # (11, S)
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
image = ax.imshow(weights.numpy(), cmap="viridis", aspect="auto", vmin=0)
ax.set_xticks(range(len(text)), list(text))
ax.set_yticks(range(len(weights)), list(decode(translation[0].tolist()) + ">")[: len(weights)])
ax.set(
    xlabel="reads", ylabel="writes", title="It reads the year first, at the end; then the month; then the day"
)
fig.colorbar(image, label="attention")
plt.show()

# %% [markdown]
# Nobody told it where the year is, or that it must be written first. From the last characters to the first
# and back is no farther than to the neighbour: that was the promise of lesson 12.1.
#
# ## What to remember
#
# - Teacher forcing trains all places of the target at once: the decoder reads the answer shifted by one.
# - Before training: the first loss, and one batch by heart. After it: the wrong ones, one by one.
# - Test on what you claim. New dates in known forms are not a new form.
# - Greedy decoding takes the best next character, beam search keeps the best few beginnings; neither
#   repairs what the model does not know.
# - The probability of a text says how well it resembles what was learned, not whether it makes sense.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Let `make_batch` draw from all nine forms. Does the ninth cost the others anything?
# 2. Set `smoothing` to zero. What becomes of the probabilities of right and wrong translations?
# 3. Let the answers start with the day, 03-05-1987. Does the attention follow?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3 and 5.
# - C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7:
#   label smoothing.
# - I. Sutskever, O. Vinyals, Q. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014,
#   section 3.2: beam search.
