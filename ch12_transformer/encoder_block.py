# %% [markdown]
# # 12.5 The encoder block: attention, a feed-forward network, and the stream that both add to
#
# In a good meeting everybody listens to the others, and then everybody thinks about what they heard and
# adds a few lines to their own notes. In a Transformer the listening is attention (12.3), the thinking is
# a small *feed-forward network*, and the notes are the *residual stream*: the vector of each word, to
# which every part of the network adds. These pieces make a block, and a stack of equal blocks is the
# Transformer. Search engines, translators and chat assistants are built from such stacks, with blocks of
# different number and width.
#
# **You will build** the encoder block part by part, follow the residual stream through a trained stack, and
# find out why the place of a layer norm decides whether a deep stack trains. **You need** multi-head
# attention (12.3), residual connections (9.4), layer norm (8.4), dropout (8.1) and warm-up (7.3). **It
# takes** about half a minute.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

torch.manual_seed(0)
HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# A word is the vector $x = (3, 1)$, and some part $f$ of the network answers with twice what it reads.
# Layer norm (8.4), written $\operatorname{LN}$, subtracts the mean and divides by the spread, so it makes
# $(1, -1)$ of $(3, 1)$. It can stand in two places. Post-norm adds first and norms the sum, while
# pre-norm norms only what the part reads, and adds the answer to $x$ itself:
#
# $$\begin{aligned}
#   \text{post-norm:} \quad & \operatorname{LN}(x + f(x)) = \operatorname{LN}((3, 1) + (6, 2)) = (1, -1) \\
#   \text{pre-norm:} \quad & x + f(\operatorname{LN}(x)) = (3, 1) + 2 \cdot (1, -1) = (5, -1)
# \end{aligned}$$
#
# What remains of the $(3, 1)$ after three such blocks in a row?


# %%
def two_number_norm(x):
    """Layer norm of a pair, without weight and bias: x, (2,), to mean 0 and spread 1."""
    return (x - x.mean()) / x.std()


post = np.array([3.0, 1.0])
pre = np.array([3.0, 1.0])
for k in range(3):
    post = two_number_norm(post + 2 * post)
    pre = pre + 2 * two_number_norm(pre)
    print(f"after block {k + 1}: post-norm {post}, pre-norm {pre}")
np.testing.assert_allclose(post, [1, -1])
np.testing.assert_allclose(pre, [9, -5])  # (3, 1) + three times (2, −2)

# %% [markdown]
# Under post-norm the sum is rescaled at every block, and of the $(3, 1)$ we can only tell that its first
# number was the larger. Under pre-norm the $(3, 1)$ is still there, and three answers have been added to
# it. We shall meet both forms again in a deep stack.
#
# ## Attention mixes the words
#
# The first part of a block is the multi-head attention of lesson 12.3: queries from `x`, keys and values
# from `context`, here the same words. Two things are new. The attention weights get dropout (8.1), and
# the library's `F.scaled_dot_product_attention` does the middle part, with a mask that is `True` for "may
# attend".


# %%
class MultiHeadAttention(nn.Module):
    """Attention of x, (B, T, D), to context, (B, S, D), with several heads (12.3): (B, T, D).

    mask: boolean, broadcast against (B, H, T, S), True where a query may attend; None: everything may.
    Raises ValueError if n_heads does not divide n_features.
    """

    def __init__(self, n_features, n_heads, dropout=0.0):
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_features} features")
        self.n_heads = n_heads
        self.dropout = dropout
        self.project_query = nn.Linear(n_features, n_features)
        self.project_key = nn.Linear(n_features, n_features)
        self.project_value = nn.Linear(n_features, n_features)
        self.project_out = nn.Linear(n_features, n_features)

    def split(self, x):
        """(B, T, D) -> (B, H, T, d)"""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(
            1, 2
        )  # (B, T, D) -> (B, T, H, d) -> (B, H, T, d)

    def forward(self, x, context, mask=None):
        query = self.split(self.project_query(x))
        key = self.split(self.project_key(context))
        value = self.split(self.project_value(context))
        dropout = self.dropout if self.training else 0.0
        output = F.scaled_dot_product_attention(query, key, value, mask, dropout)  # (B, H, T, d)
        return self.project_out(
            output.transpose(1, 2).flatten(2)
        )  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)


# %% [markdown]
# ## The feed-forward network sees one word
#
# Attention alone only takes weighted averages of its values. The second part of a block computes with what
# has been gathered. It is a network of two layers (chapter 5), usually four times as wide inside, and it is
# applied to every word alone, with the same weights:
#
# $$\operatorname{FF}(x) = \operatorname{ReLU}(x W_1^\top + b_1)\, W_2^\top + b_2 .$$


# %%
class FeedForward(nn.Sequential):
    """Two layers on every position alone, (B, T, D) -> (B, T, D); Vaswani et al. 2017, equation 2."""

    def __init__(self, n_features, n_hidden, dropout=0.0):
        super().__init__(
            nn.Linear(n_features, n_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden, n_features),
        )


# %% [markdown]
# If we change one of five words, which outputs change, in attention and in the feed-forward network?

# %%
attention = MultiHeadAttention(8, 2)
feed_forward = FeedForward(8, 32)
five_words = torch.randn(1, 5, 8)  # (B, T, D)
one_changed = five_words.clone()
one_changed[0, 2] += 1
with torch.no_grad():
    mixed = (attention(five_words, five_words) - attention(one_changed, one_changed)).abs().amax(dim=-1)[0]
    alone = (feed_forward(five_words) - feed_forward(one_changed)).abs().amax(dim=-1)[0]  # (5,)
print("change in attention   ", mixed.numpy().round(3))
print("change in feed-forward", alone.numpy().round(3))
assert (mixed > 0).all()
assert (alone > 0).tolist() == [False, False, True, False, False]

# %% [markdown]
# Attention carries the change to every word, and the feed-forward network keeps it where it is. So one part
# moves information between words, and the other works on it.
#
# ## The block and its residual stream
#
# Each part stands beside the stream and reads from it, and its answer is added to it, which is the
# residual connection $x + f(x)$ of lesson 9.4. Each part has one layer norm, and `norm_first` chooses
# between the two places of the paper section. Dropout acts on each answer before it is added.
#
# $$\begin{aligned}
#   \text{pre-norm:} \quad & x \leftarrow x + \operatorname{attention}(\operatorname{LN}(x)), &
#     x &\leftarrow x + \operatorname{FF}(\operatorname{LN}(x)) \\
#   \text{post-norm:} \quad & x \leftarrow \operatorname{LN}(x + \operatorname{attention}(x)), &
#     x &\leftarrow \operatorname{LN}(x + \operatorname{FF}(x))
# \end{aligned}$$


# %%
class EncoderBlock(nn.Module):
    """Self-attention and feed-forward, each with dropout, residual and layer norm: (B, T, D) to the same.

    norm_first: layer norm before each part, beside the stream (pre-norm), instead of after the sum
    (post-norm). mask: as in `MultiHeadAttention`.
    """

    def __init__(self, n_features, n_heads, n_hidden, dropout=0.0, norm_first=True):
        super().__init__()
        self.attention = MultiHeadAttention(n_features, n_heads, dropout)
        self.feed_forward = FeedForward(n_features, n_hidden, dropout)
        self.attention_norm = nn.LayerNorm(n_features)
        self.feed_forward_norm = nn.LayerNorm(n_features)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        if self.norm_first:
            normed = self.attention_norm(x)
            x = x + self.dropout(self.attention(normed, normed, mask))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, x, mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


# %% [markdown]
# Here are both blocks as drawings, to be read from the bottom to the top. The thick line is the residual
# stream. What stands on the stream itself, and what beside it?


# %%
def draw_block(ax, norm_first):
    """The parts of an `EncoderBlock` along its residual stream, from the bottom to the top."""
    ax.plot([0, 0], [0, 10.4], color="C0", linewidth=5, zorder=0)
    for bottom, part in ((0.4, "attention"), (5.4, "feed-forward")):
        beside = ["layer norm", part] if norm_first else [part]
        top = bottom + 1 + len(beside)
        ax.plot([0, 2, 2, 0], [bottom, bottom, top, top], color="0.3", zorder=0)  # out, up, and back
        for k, name in enumerate(beside):
            color = "C1" if name == "layer norm" else "white"
            box = {"boxstyle": "round", "facecolor": color, "edgecolor": "0.3"}
            ax.text(2, bottom + 1 + k, name, ha="center", va="center", bbox=box)
        plus = {"boxstyle": "circle", "facecolor": "white", "edgecolor": "0.3"}
        ax.text(0, top, "+", ha="center", va="center", bbox=plus)
        if not norm_first:
            box = {"boxstyle": "round", "facecolor": "C1", "edgecolor": "0.3"}
            ax.text(0, top + 1.2, "layer norm", ha="center", va="center", bbox=box)
    ax.text(0, -0.5, "x (B, T, D)", ha="center")
    ax.text(0, 10.6, "x (B, T, D)", ha="center")
    ax.set(xlim=(-1.5, 3.5), ylim=(-0.8, 11.2), title="pre-norm" if norm_first else "post-norm")
    ax.axis("off")


fig, (left, right) = plt.subplots(1, 2, figsize=(8, 5), layout="constrained")
draw_block(left, norm_first=True)
draw_block(right, norm_first=False)
plt.show()

# %% [markdown]
# On the left nothing stands on the stream but sums, so what enters is still there at the end. On the right
# a layer norm stands on the stream after each sum, and rescales everything that has come so far.
#
# ## The same in PyTorch
#
# `nn.TransformerEncoderLayer` is the same block, but it keeps the weights of queries, keys and values
# stacked in one matrix, so the function `stacked` puts ours into that form and order. We compare outputs
# and the gradients of all parameters, for both places of the norm. Some words are padding, and the
# library's boolean padding mask is the other way round than ours, since `True` means _blocked_.


# %%
def stacked(named):
    """Tensors {name: tensor} of a block as the library lists them: queries, keys and values in one."""
    found = []
    for name, tensor in named.items():  # our order is the library's: attention, linear layers, norms
        if "project_query" in name:  # join those of keys and values to it; below, they are skipped
            parts = [named[name.replace("query", part)] for part in ("query", "key", "value")]
            tensor = torch.cat(parts)  # three (D, D) -> (3D, D), or three (D,) -> (3D,)
        if "project_key" not in name and "project_value" not in name:
            found.append(tensor)
    return found


# %%
def largest_difference(ours, theirs, cotangent, args, our_masks, torch_masks):
    """Copy random parameters to theirs, assert equal outputs and gradients, return the largest difference."""
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_()
        for theirs_parameter, value in zip(
            theirs.parameters(), stacked(dict(ours.named_parameters())), strict=True
        ):
            theirs_parameter.copy_(value)
    our_out = ours(*args, **our_masks)
    torch_out = theirs(*args, **torch_masks)
    (our_out * cotangent).sum().backward()
    (torch_out * cotangent).sum().backward()
    our_gradients = stacked({name: parameter.grad for name, parameter in ours.named_parameters()})
    torch_gradients = [parameter.grad for parameter in theirs.parameters()]
    pairs = list(zip((our_out, *our_gradients), (torch_out, *torch_gradients), strict=True))
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)  # key biases: sums that cancel to zero
    return max((a - b).abs().max().item() for a, b in pairs)


texts = torch.randn(2, 7, 12, dtype=torch.float64)  # (B, S, D)
may_read = torch.arange(7) < torch.tensor([[4], [7]])  # (B, S): the first text has four words
padding_mask = may_read[:, None, None, :]  # (B, S) -> (B, 1, 1, S)
for norm_first in (True, False):
    ours = EncoderBlock(12, 3, 20, norm_first=norm_first).double()
    theirs = nn.TransformerEncoderLayer(
        12, 3, 20, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    largest = largest_difference(
        ours,
        theirs,
        torch.randn_like(texts),
        [texts],
        {"mask": padding_mask},
        {"src_key_padding_mask": ~may_read},
    )
    print(f"norm first {norm_first!s:20s}largest difference {largest:.1e}")

# %% [markdown]
# All differences are rounding, so our block and the library's compute the same.
#
# ## What happens along the stream
#
# Now a stack of four blocks, on a task in which every letter must look at all others: read a name, give
# its letters in alphabetical order, _emma_ to _aemm_. Letters and places are learned vectors, which are
# added (12.4). At the end of a pre-norm stack the sum has not been through a layer norm. So one more layer
# norm stands there, before a linear layer computes the logits of a letter at every place. (For names of
# your own, change the path: one name in each line, letters from a to z.)


# %%
def letter_codes(words, length=8):
    """Words as (B, length) numbers: a is 1, z is 26, and 0 fills up the end.

    Raises ValueError for a word that is too long or has other characters.
    """
    rows = []
    for word in words:
        if len(word) > length or not set(word) <= set("abcdefghijklmnopqrstuvwxyz"):
            raise ValueError(f"expected at most {length} letters a to z, got {word!r}")
        rows.append([ord(letter) - 96 for letter in word] + [0] * (length - len(word)))
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), length)


names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
short_names = [name for name in names if len(name) <= 8]
generator = torch.Generator().manual_seed(0)
shuffled = torch.randperm(len(short_names), generator=generator)
letters = letter_codes(short_names)[shuffled]  # (n, 8)
ordered = letter_codes(["".join(sorted(name)) for name in short_names])[shuffled]  # (n, 8)
N_TEST = 1000
if len(short_names) <= N_TEST:
    raise ValueError(f"{len(short_names)} names of up to 8 letters are too few, {N_TEST} are for the test")
test_x, test_y = letters[:N_TEST], ordered[:N_TEST]
train_x, train_y = letters[N_TEST:], ordered[N_TEST:]
print(f"{len(train_x)} names to learn from, {len(test_x)} for the test")


# %%
class Sorter(nn.Module):
    """A stack of encoder blocks that answers every letter of x, (B, T), with 27 logits, (B, T, 27)."""

    def __init__(self, n_features, n_heads, n_blocks, norm_first):
        super().__init__()
        self.letter = nn.Embedding(27, n_features)
        self.place = nn.Embedding(8, n_features)
        self.blocks = nn.ModuleList(
            EncoderBlock(n_features, n_heads, 4 * n_features, norm_first=norm_first) for _ in range(n_blocks)
        )
        self.final_norm = nn.LayerNorm(n_features) if norm_first else nn.Identity()
        self.read_out = nn.Linear(n_features, 27)
        for name, parameter in self.blocks.named_parameters():
            # as the library, which fills queries, keys and values as one (3D, D) matrix: Xavier's variance
            # is then 2 / (D + 3D), half of the 2 / (D + D) of a matrix of its own
            if parameter.ndim > 1:
                goes_in = any(part in name for part in ("query", "key", "value"))
                nn.init.xavier_uniform_(parameter, gain=0.5**0.5 if goes_in else 1.0)

    def streams(self, x):
        """The residual stream before the first block and after each block, (B, T, D) each."""
        mask = (x > 0)[:, None, None, :]  # (B, T) -> (B, 1, 1, T)
        stream = self.letter(x) + self.place.weight[: x.shape[1]]  # (B, T, D) + (T, D) -> (B, T, D)
        streams = [stream]
        for block in self.blocks:
            stream = block(stream, mask)
            streams.append(stream)
        return streams

    def answer(self, stream):
        """Logits (B, T, 27) read off a stream (B, T, D)."""
        return self.read_out(self.final_norm(stream))

    def forward(self, x):
        return self.answer(self.streams(x)[-1])


# %%
def train(model, seed, n_steps, batch_size, learning_rate, n_warmup):
    """Adam on random names, warm-up, then a constant rate; the loss (nats) of each batch, (n_steps,)."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / max(1, n_warmup))
    )
    losses = []
    for _ in range(n_steps):
        rows = torch.randint(len(train_x), (batch_size,), generator=generator)
        x, y = train_x[rows], train_y[rows]  # (B, 8) each
        loss = F.cross_entropy(model(x)[x > 0], y[x > 0])  # (n, 27) and (n,): padding left out
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return np.array(losses)


# %%
torch.manual_seed(0)
sorter = Sorter(64, 4, n_blocks=4, norm_first=True)
sorter_losses = train(sorter, seed=0, n_steps=350, batch_size=64, learning_rate=0.002, n_warmup=30)
for step in range(50, 351, 100):
    print(f"step {step:4d}   loss {sorter_losses[step - 20 : step].mean():.3f}")

# %% [markdown]
# The read-out was trained on the end of the stream, but every block writes into the same vectors. What
# would the read-out say if we applied it earlier, after each block, and how long do the vectors get?

# %%
with torch.no_grad():
    streams = sorter.streams(test_x)
    answers = [sorter.answer(stream).argmax(dim=-1) for stream in streams]  # (n, 8) each
real = test_x > 0  # (n, 8): no padding
right_after = [(answer == test_y)[real].float().mean().item() for answer in answers]
length_after = [stream[real].norm(dim=-1).mean().item() for stream in streams]

shown = max(range(N_TEST), key=lambda i: len(set(test_x[i].tolist())))  # a name with many different letters
print(f"{'':24s}{'right':>8s}{'length':>8s}   {''.join(chr(96 + c) for c in test_x[shown].tolist() if c)}")
for k, answer in enumerate(answers):
    spelled = "".join(chr(96 + c) if c else "·" for c in answer[shown][real[shown]].tolist())
    where = f"after block {k}" if k else "before the first block"
    print(f"{where:24s}{right_after[k]:8.2f}{length_after[k]:8.1f}   {spelled}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(right_after, "o-", color="C1")
left.set(xlabel="blocks passed", ylabel="share of right letters", ylim=(0, 1.05), xticks=range(len(streams)))
left.set_title("The read-out applied along the stream")
right.plot(length_after, "o-", color="C1")
right.set(
    xlabel="blocks passed", ylabel="mean length of a vector", ylim=(0, None), xticks=range(len(streams))
)
right.set_title("Length of the residual stream")
plt.show()

# %% [markdown]
# On the left the answer gets better with every block, and the table shows for one name how its letters are
# corrected on the way. On the right the vectors get longer. Each part adds to them, and no norm on the
# stream shrinks them. (With a second start both curves rose in the same way.) This is what the stream does
# in our pre-norm stack, and large models have been read in this way, too.
#
# ## Where should the norm stand?
#
# The paper of 2017 put the norm after the sum, and its stack needed a warm-up (7.3), a learning rate that
# climbs from zero. To see whether the place of the norm decides that, we train a deep stack of 8 blocks, in
# both forms, with and without warm-up, from three starts each. All get the same learning rate, batches and
# number of steps. For comparison: a model that knows only how frequent each letter is.

# %%
counts = torch.bincount(train_x[train_x > 0]).double()[1:]  # (26,): how often each letter occurs
letter_shares = counts / counts.sum()
guessing = -(letter_shares * letter_shares.log()).sum().item()
print(f"{'knows the frequencies':28s}{guessing:8.2f}")
SEEDS = (0, 1, 2)
places = {"post-norm": False, "pre-norm": True}
runs = {}  # for each recipe the losses of all seeds, (3, n_steps)
final_losses = {}  # the mean of the last 20 steps, (3,)
for place, norm_first in places.items():
    for recipe, n_warmup in (("no warm-up", 0), ("warm-up", 60)):
        lines = []
        for seed in SEEDS:
            torch.manual_seed(seed)
            deep = Sorter(32, 4, n_blocks=8, norm_first=norm_first)
            lines.append(train(deep, seed, 150, batch_size=16, learning_rate=0.005, n_warmup=n_warmup))
        name = f"{place}, {recipe}"
        runs[name] = np.array(lines)
        final_losses[name] = runs[name][:, -20:].mean(axis=1)
        print(f"{name:28s}" + "".join(f"{loss:8.2f}" for loss in final_losses[name]))
torch.manual_seed(0)
shallow = Sorter(32, 4, n_blocks=2, norm_first=False)
shallow_loss = train(shallow, 0, 150, batch_size=16, learning_rate=0.005, n_warmup=0)[-20:].mean()
print(f"{'post-norm, only 2 blocks':28s}{shallow_loss:8.2f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for k, ((name, lines), style) in enumerate(zip(runs.items(), ("-", "--", "-.", ":"))):
    for seed, losses in zip(SEEDS, lines):
        smooth = np.convolve(losses, np.ones(10) / 10, "valid")
        label = name if seed == SEEDS[0] else None
        ax.plot(np.arange(10, len(losses) + 1), smooth, style, color=f"C{k}", linewidth=1, label=label)
ax.axhline(guessing, color="0.7", linewidth=0.8, zorder=0)
ax.set(
    xlabel="step (grey: knows only the frequencies)", ylabel="loss (nats), mean of 10 steps", ylim=(0.6, 4.2)
)
ax.set_title("Eight blocks: training loss from three starts")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# The deep post-norm stack without warm-up learns how frequent the letters are, and stops there, from all
# three starts. With warm-up it gets further, while the pre-norm stack trains with either start, and gets
# furthest in these few steps. The shallow post-norm stack in the last line of the table also trains
# without warm-up (from three other starts, too), so the trouble comes with depth.
#
# To find out why, we look at untrained stacks of several depths. The gradient at the last matrix of each
# block's feed-forward network says how strongly the block is told to change. And one step of Adam (7.2)
# shows how far the output then moves.


# %%
def first_step(n_blocks, norm_first, seed):
    """Gradient norm of each block's last matrix, (n_blocks,), and the output's relative move in one step."""
    torch.manual_seed(seed)
    model = Sorter(64, 4, n_blocks, norm_first)
    x, y = train_x[seed * 64 : (seed + 1) * 64], train_y[seed * 64 : (seed + 1) * 64]  # (64, 8) each
    before = model.final_norm(model.streams(x)[-1])[x > 0]  # (n, D)
    F.cross_entropy(model.read_out(before), y[x > 0]).backward()
    norms = [block.feed_forward[-1].weight.grad.norm().item() for block in model.blocks]
    torch.optim.Adam(model.blocks.parameters(), lr=0.001).step()
    with torch.no_grad():
        after = model.final_norm(model.streams(x)[-1])[x > 0]  # (n, D)
    return np.array(norms), ((after - before).norm() / before.norm()).item()


depths = (2, 6, 12, 24)
gradients = {place: {} for place in places}  # by depth: the mean norm of each block's gradient
moves = {place: {} for place in places}
print(f"{'':12s}{'blocks':>12s}{'gradient, 1':>12s}{'last':>12s}{'move':>12s}")
for place, norm_first in places.items():
    for depth in depths:
        found = [first_step(depth, norm_first, seed) for seed in range(4)]
        gradients[place][depth] = np.mean([norms for norms, _ in found], axis=0)  # (depth,)
        moves[place][depth] = np.mean([move for _, move in found])
        first, last = gradients[place][depth][[0, -1]]
        print(f"{place:12s}{depth:12d}{first:12.3f}{last:12.3f}{moves[place][depth]:12.3f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for place, style in zip(places, ("o-", "s--")):
    left.plot(np.arange(1, 25), gradients[place][24], style, markersize=3, label=place)
    right.plot(depths, list(moves[place].values()), style, label=place)
left.set(xlabel="block of 24", ylabel="gradient norm of its last matrix", ylim=(0, None))
left.set_title("Gradient by block, untrained")
right.set(xlabel="blocks in the stack", ylabel="relative move of the output", ylim=(0, None))
right.set_title("Move of the output in one step of Adam")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# The table says that with post-norm the gradient of the last block does not shrink as the stack gets
# deeper. In deep stacks (12 blocks and 24) it is larger than that of the first block, because each norm
# on the stream shrinks what came before. With pre-norm a block is one of many terms in a growing sum, so
# its gradient shrinks with the depth, most for the last ones. The right panel shows what follows, for at
# every depth one step moves the output of the post-norm stack further. So small first steps, as in a
# warm-up, should help the post-norm stack, and that is what we saw. Most large models since about 2019
# put the norm first.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert all(np.diff(right_after) > 0.02), "the answer gets better with every block"
assert right_after[-1] > 0.95, "at the end of the stream nearly every letter is right"
assert all(np.diff(length_after) > 0), "the vectors of the stream get longer with every block"
stuck = final_losses["post-norm, no warm-up"]
assert min(stuck) > guessing - 0.25, "deep post-norm without warm-up stops at the letter frequencies"
assert max(final_losses["post-norm, warm-up"]) < min(stuck) - 0.4, "with warm-up post-norm gets further"
for recipe in ("no warm-up", "warm-up"):
    best_post = min(final_losses["post-norm, warm-up"])
    assert max(final_losses[f"pre-norm, {recipe}"]) < best_post, f"pre-norm gets furthest: {recipe}"
assert shallow_loss < guessing - 0.8, "two post-norm blocks train without warm-up"
last = {place: [gradients[place][depth][-1] for depth in depths] for place in places}
assert last["post-norm"][-1] > last["post-norm"][0] / 1.5, (
    "post-norm's last gradient keeps its size with depth"
)
assert last["pre-norm"][-1] < last["pre-norm"][0] / 1.5, "pre-norm's last gradient shrinks with depth"
for depth in (12, 24):
    first = gradients["post-norm"][depth][0]
    assert gradients["post-norm"][depth][-1] > 1.2 * first, "in deep post-norm the last gradient is larger"
for depth in depths:
    further = moves["post-norm"][depth] / moves["pre-norm"][depth]
    assert further > 1.1, "at every depth one step moves the output of post-norm further"

# %% [markdown]
# ## Going further
#
# This can be skipped at first, but the decoder block is needed in lesson 12.7, and the costs in lesson
# 12.8.
#
# ### The decoder block
#
# A translator writes word by word, and it looks back over what is already written (never ahead, so the
# mask is causal), looks at the source text, and computes. The second step is cross-attention (12.3): the
# queries come from the translation, keys and values from `memory`, which is what the encoder made of the
# source.


# %%
class DecoderBlock(nn.Module):
    """Self-attention, cross-attention to memory, (B, S, D), and feed-forward: x, (B, T, D), to the same.

    mask: for the self-attention, memory_mask: for the cross-attention; both as in `MultiHeadAttention`.
    """

    def __init__(self, n_features, n_heads, n_hidden, dropout=0.0, norm_first=True):
        super().__init__()
        self.attention = MultiHeadAttention(n_features, n_heads, dropout)
        self.cross_attention = MultiHeadAttention(n_features, n_heads, dropout)
        self.feed_forward = FeedForward(n_features, n_hidden, dropout)
        self.attention_norm = nn.LayerNorm(n_features)
        self.cross_norm = nn.LayerNorm(n_features)
        self.feed_forward_norm = nn.LayerNorm(n_features)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, memory, mask=None, memory_mask=None):
        if self.norm_first:
            normed = self.attention_norm(x)
            x = x + self.dropout(self.attention(normed, normed, mask))
            x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory, memory_mask))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, x, mask)))
        x = self.cross_norm(x + self.dropout(self.cross_attention(x, memory, memory_mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


written = torch.randn(2, 5, 12, dtype=torch.float64)  # (B, T, D)
causal = torch.ones(5, 5, dtype=torch.bool).tril()  # (T, T)
for norm_first in (True, False):
    ours = DecoderBlock(12, 3, 20, norm_first=norm_first).double()
    theirs = nn.TransformerDecoderLayer(
        12, 3, 20, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    our_masks = {"mask": causal, "memory_mask": padding_mask}
    torch_masks = {"tgt_mask": ~causal, "memory_key_padding_mask": ~may_read}
    largest = largest_difference(
        ours, theirs, torch.randn_like(written), [written, texts], our_masks, torch_masks
    )
    print(f"norm first {norm_first!s:20s}largest difference {largest:.1e}")

# %% [markdown]
# ### What a block costs
#
# We count for one text of $T$ words, with a product and its sum as two operations. Four square matrices
# make queries, keys, values and the output: $4 \cdot 2TD^2$. Scores and mixing are two products with the
# other words: $2 \cdot 2T^2D$. The feed-forward network, $M$ wide inside, has two matrices of $D$ by $M$:
# $2 \cdot 2TDM$. Biases, norms and softmax are small beside these.


# %%
def block_costs(n_features, n_hidden, length):
    """Parameters, and operations in matrix products for one text, of an encoder block: {part: (both)}."""
    return {
        "projections": (4 * n_features * n_features + 4 * n_features, 8 * length * n_features * n_features),
        "scores and mixing": (0, 4 * length * length * n_features),
        "feed-forward": (
            2 * n_features * n_hidden + n_hidden + n_features,
            4 * length * n_features * n_hidden,
        ),
        "two layer norms": (4 * n_features, 0),
    }


base_costs = block_costs(512, 2048, 100)
base_block = EncoderBlock(512, 8, 2048)
with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
    base_block(torch.zeros(1, 100, 512))
print(f"{'':20s}{'parameters':>12s}{'operations':>14s}")
for part, (n_parameters, n_operations) in base_costs.items():
    print(f"{part:20s}{n_parameters:12,}{n_operations:14,}")
all_parameters, all_operations = map(sum, zip(*base_costs.values()))
print(f"{'together':20s}{all_parameters:12,}{all_operations:14,}")
assert all_parameters == sum(parameter.numel() for parameter in base_block.parameters())
assert all_operations == counter.get_total_flops()

# %%
lengths = 2 ** np.arange(5, 16)  # 32 to 32,768 words
per_word = {"scores and mixing": [], "all else": []}
for n in lengths.tolist():
    operations = {part: n_operations / n for part, (_, n_operations) in block_costs(512, 2048, n).items()}
    per_word["scores and mixing"].append(operations["scores and mixing"])
    per_word["all else"].append(operations["projections"] + operations["feed-forward"])

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (part, line), style in zip(per_word.items(), ("--", "-")):
    ax.loglog(lengths, line, style, label=part)
ax.axvline(6 * 512, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="words in the text (grey: 6 D)", ylabel="operations per word", title="One block of width 512")
ax.legend()
plt.show()

# %% [markdown]
# Two thirds of the parameters stand in the feed-forward network. The comparison of every word with every
# other has none at all, and costs little until the text is long: with $M = 4D$ all else costs $24\,TD^2$,
# so the scores overtake it at $T = 6D$, the grey line.
#
# ### The size of the whole Transformer
#
# The machine of 2017 is a stack of encoder blocks and a stack of decoder blocks, six each, of width 512,
# with one table for the words of both languages, about 37,000 word pieces, and Vaswani and colleagues
# gave 65 million parameters. The `meta` device makes tensors with a shape and no memory, enough to count
# them.

# %%
with torch.device("meta"):
    base = nn.ModuleDict(
        {
            "embedding": nn.Embedding(37_000, 512),
            "encoder": nn.ModuleList(EncoderBlock(512, 8, 2048) for _ in range(6)),
            "decoder": nn.ModuleList(DecoderBlock(512, 8, 2048) for _ in range(6)),
        }
    )
for part, module in base.items():
    print(f"{part:20s}{sum(parameter.numel() for parameter in module.parameters()):12,}")
total = sum(parameter.numel() for parameter in base.parameters())
print(f"{'together':20s}{total:12,}")

# %% [markdown]
# The sum is within a few percent of the published number, although it was published as a round one.

# %%
feed_forward_share = base_costs["feed-forward"][0] / all_parameters
assert abs(feed_forward_share - 2 / 3) < 0.01, (
    "two thirds of the parameters stand in the feed-forward network"
)
at_crossing = {part: operations for part, (_, operations) in block_costs(512, 2048, 6 * 512).items()}
others = at_crossing["projections"] + at_crossing["feed-forward"]
assert at_crossing["scores and mixing"] == others, "the scores overtake all else at six times the width"
assert abs(total / 65e6 - 1) < 0.04, "the base model has about 65 million parameters"

# %% [markdown]
# ## What to remember
#
# - A block is attention, which moves information between words, and a feed-forward network, which works on
#   each word alone. Both add their answers to the residual stream.
# - In a pre-norm block nothing but sums stands on the stream. Post-norm rescales the stream after each
#   sum. At our learning rate a deep post-norm stack needed a warm-up to train, and a pre-norm stack did
#   not.
# - The stream can be read after every block, and the answer gets better along it.
# - Most parameters are in the feed-forward networks. The cost that grows with the square of the length is
#   that of the scores.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let each letter attend to itself only: in `Sorter.streams`, put
#    `torch.eye(x.shape[1], dtype=torch.bool)` in place of `mask` where the blocks are called. What can the
#    four blocks still learn, and what not? Look at the second figure.
# 2. Train the deep stacks with `learning_rate=0.0005`, a tenth. Does post-norm still need its warm-up?
#    Look at the third figure.
# 3. From a blank cell at the end: write `ParallelBlock`, a subclass of `EncoderBlock` in which attention
#    and feed-forward network read the same normed stream and are added together,
#    $x + \operatorname{attention}(\operatorname{LN}(x)) + \operatorname{FF}(\operatorname{LN}(x))$. Check
#    with `dropout=1.0` that a block in training hands on its input untouched, as an `EncoderBlock` does.
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3 and 5.3, table 3. Reproduced:
#   "the base model has about 65 million parameters".
# - R. Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020: the gradients of
#   both orders at the start, and warm-up. Reproduced: "deep post-norm without warm-up stops at the letter
#   frequencies".
# - L. Liu et al., "Understanding the difficulty of training Transformers", EMNLP 2020: how far the output
#   moves. Reproduced: "at every depth one step moves the output of post-norm further".
# - nostalgebraist, "Interpreting GPT: the logit lens", 2020: reading a large model's stream block by block.
