# %% [markdown]
# # 12.5 The encoder block: listen, think, and keep your notes
#
# In a good meeting two things alternate. Everybody listens to the others. Then everybody goes back to
# their own desk and thinks about what they heard. Nobody tears up their notes: each round adds a few
# lines under the last. Attention is the listening. This lesson adds the desk, the notes, and a rule about
# how large anyone may write.
#
# **You will build** the Transformer's encoder block and its decoder block, count what they cost, find out
# why the place of a layer norm decides whether a deep stack trains, and put together the whole network of
# "Attention is all you need". **You need** attention with several heads (12.3), residual blocks (9.4),
# layer norm (8.4) and warm-up (7.3).

# %%
import math
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
# A word is the two numbers $[3, 1]$, and some part of the network answers with twice what it reads. Layer
# norm subtracts the mean and divides by the spread, so it makes $[1, -1]$ of $[3, 1]$. There are two
# places for it. *Post-norm* adds first: $\operatorname{LN}([3, 1] + [6, 2]) = [1, -1]$. *Pre-norm* norms
# only what the part reads: $[3, 1] + 2\,[1, -1] = [5, -1]$. Three such blocks in a row:


# %%
def two_number_norm(x):
    """Layer norm of a pair, without weight and bias: x, (2,), to mean 0 and spread 1."""
    return (x - x.mean()) / x.std()


post, pre = np.array([3.0, 1.0]), np.array([3.0, 1.0])
for k in range(3):
    post = two_number_norm(post + 2 * post)
    pre = pre + 2 * two_number_norm(pre)
    print(f"after block {k + 1}: post-norm {post}, pre-norm {pre}")
np.testing.assert_allclose(post, [1, -1])
np.testing.assert_allclose(pre, [9, -5])  # [3, 1] + three times [2, -2]

# %% [markdown]
# Under post-norm what entered is gone: only its direction is left, rescaled at every block. Under
# pre-norm the $[3, 1]$ is still there, with three notes added under it. Keep that in mind for the
# experiment.
#
# ## To listen
#
# The module of lesson 12.3, now with dropout on its weights. The queries come from `x`, the keys and
# values from `source`, 12.3's `context`: the same words or, later, another text's.


# %%
class MultiHeadAttention(nn.Module):
    """Attention of x, (B, T, D), to source, (B, S, D), with n_heads heads; Vaswani et al. 2017, section 3.2.

    mask: boolean, broadcast to (B, H, T, S), True = may attend; None: everything may. Returns (B, T, D).
    Raises ValueError where the width D does not divide into the heads.
    """

    def __init__(self, width, n_heads, dropout=0.0):
        super().__init__()
        if width % n_heads:
            raise ValueError(f"a width of {width} does not divide into {n_heads} heads")
        self.project_in = nn.Linear(width, 3 * width)  # queries, keys, values
        self.project_out = nn.Linear(width, width)
        self.n_heads, self.dropout = n_heads, dropout

    def forward(self, x, source, mask=None):
        weight, bias, width = self.project_in.weight, self.project_in.bias, x.shape[-1]
        query = F.linear(x, weight[:width], bias[:width])  # (B, T, D) @ (D, D) -> (B, T, D)
        both = F.linear(source, weight[width:], bias[width:])  # (B, S, D) @ (D, 2D) -> (B, S, 2D)
        parts = query, *both.chunk(2, dim=-1)
        # each part: (B, T, D) -> (B, T, H, d) -> (B, H, T, d)
        query, key, value = (part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in parts)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout)  # (B, H, T, d)
        return self.project_out(mixed.transpose(1, 2).flatten(2))  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)


# %% [markdown]
# ## To think
#
# Attention only mixes: its values are weighted averages. The desk is a small network of two layers,
# usually four times as wide inside, applied to every word alone, with the same weights:
#
# $$\operatorname{FF}(x) = \operatorname{ReLU}(x W_1^\top + b_1)\, W_2^\top + b_2 .$$
#
# We nudge one of five words and see who notices.


# %%
class FeedForward(nn.Sequential):
    """Two layers on every position alone, (B, T, D) -> (B, T, D); Vaswani et al. 2017, equation 2."""

    def __init__(self, width, hidden, dropout=0.0):
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))


attention, feed_forward = MultiHeadAttention(8, 2), FeedForward(8, 32)
words = torch.randn(1, 5, 8)
nudged = words.clone()
nudged[0, 2] += 1
heard = (attention(words, words) != attention(nudged, nudged)).any(dim=-1)[0]  # (5,)
thought = (feed_forward(words) != feed_forward(nudged)).any(dim=-1)[0]  # (5,)
print(f"attention: changed {heard.int().tolist()}   feed-forward: changed {thought.int().tolist()}")
assert heard.all() and thought.tolist() == [False, False, True, False, False]

# %% [markdown]
# ## The block
#
# Listen, think, and around each of them a *residual connection*, $x + f(x)$, the shortcut of lesson 9.4.
# One layer norm belongs to each part; `norm_first` chooses between the two places.
#
# $$\text{pre: } x \leftarrow x + f(\operatorname{LN}(x)) \qquad
#   \text{post: } x \leftarrow \operatorname{LN}(x + f(x))$$


# %%
class EncoderBlock(nn.Module):
    """Self-attention and feed-forward, each with dropout, residual and layer norm: (B, T, D) to the same.

    norm_first: layer norm before each part, inside the residual, instead of after the sum. mask as in
    `MultiHeadAttention`.
    """

    def __init__(self, width, n_heads, hidden, dropout=0.0, norm_first=True):
        super().__init__()
        self.attention = MultiHeadAttention(width, n_heads, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
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
# *Dropout* (8.1) has three places here: on the attention weights, inside the desk, and on each part's
# answer before it is added. It has none on the line that carries $x$. So with everything dropped a
# pre-norm block hands on its input untouched; a post-norm block still norms it.

# %%
for norm_first in (True, False):
    block = EncoderBlock(8, 2, 32, dropout=1.0, norm_first=norm_first)  # in training mode, as built
    untouched = torch.equal(block(words), words)
    print(f"norm_first={norm_first}: with everything dropped, the input came through untouched: {untouched}")
    assert untouched == norm_first
    assert not torch.equal(block.eval()(words), words)  # in evaluation nothing is dropped

# %% [markdown]
# ## The decoder block
#
# A translator writes word by word, with three habits: look back over what is already written (never ahead,
# so the mask is causal), look at the source text, think. The second is cross-attention (12.3): queries
# from the translation, keys and values from `memory`, which is what the encoder made of the source.


# %%
class DecoderBlock(nn.Module):
    """Self-attention, cross-attention to memory, (B, S, D), and feed-forward: x, (B, T, D), to the same.

    mask: for the self-attention, memory_mask: for the cross-attention; both as in `MultiHeadAttention`.
    """

    def __init__(self, width, n_heads, hidden, dropout=0.0, norm_first=True):
        super().__init__()
        self.attention = MultiHeadAttention(width, n_heads, dropout)
        self.cross_attention = MultiHeadAttention(width, n_heads, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.attention_norm, self.cross_norm, self.feed_forward_norm = (nn.LayerNorm(width) for _ in range(3))
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


# %% [markdown]
# ## The same in PyTorch
#
# `nn.TransformerEncoderLayer` and `nn.TransformerDecoderLayer` list their parameters in our order, so we
# copy ours over in a loop and compare outputs and all gradients, for both places of the norm. Three words
# of the first text are padding. Beware: the library's boolean masks are the other way round, True =
# *blocked*.


# %%
def outputs_and_gradients(block, cotangent, *args, **masks):
    """The block's output and the gradients of its mixture with cotangent, in the order of its parameters."""
    output = block(*args, **masks)
    return output, *torch.autograd.grad((output * cotangent).sum(), list(block.parameters()))


def largest_difference(ours, theirs, cotangent, args, our_masks, torch_masks):
    """Copy random parameters to theirs, assert equal outputs and gradients, return the largest gap."""
    with torch.no_grad():
        for our_parameter, torch_parameter in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch_parameter.copy_(our_parameter.normal_())
    found = outputs_and_gradients(ours, cotangent, *args, **our_masks)
    expected = outputs_and_gradients(theirs, cotangent, *args, **torch_masks)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)  # key biases: sums that cancel to zero
    return max((a - b).abs().max().item() for a, b in zip(found, expected))


# %%
x, memory = (torch.randn(2, n, 12, dtype=torch.float64) for n in (5, 7))
may_read = torch.arange(7) < torch.tensor([[4], [7]])  # (2, 7)
memory_mask = may_read[:, None, None, :]  # (B, S) -> (B, 1, 1, S)
causal = torch.ones(5, 5, dtype=torch.bool).tril()  # (T, T)
blocked = {"tgt_mask": ~causal, "memory_key_padding_mask": ~may_read}
print(f"{'norm first':20s}{'encoder':>12s}{'decoder':>12s}")
for norm_first in (True, False):
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first, "dtype": torch.float64}
    ours = EncoderBlock(12, 3, 20, norm_first=norm_first).double()
    theirs = nn.TransformerEncoderLayer(12, 3, 20, **options)
    masks = {"mask": memory_mask}, {"src_key_padding_mask": ~may_read}
    in_encoder = largest_difference(ours, theirs, torch.randn_like(memory), [memory], *masks)
    ours = DecoderBlock(12, 3, 20, norm_first=norm_first).double()
    theirs = nn.TransformerDecoderLayer(12, 3, 20, **options)
    masks = {"mask": causal, "memory_mask": memory_mask}, blocked
    in_decoder = largest_difference(ours, theirs, torch.randn_like(x), [x, memory], *masks)
    print(f"{norm_first!s:20s}{in_encoder:12.1e}{in_decoder:12.1e}")

# %% [markdown]
# ## What a block costs
#
# Count for one text of $T$ words, a product and its sum as two operations. Four square matrices make
# queries, keys, values and the answer: $4 \cdot 2TD^2$. Scores and mixing are two products with the other
# words: $2 \cdot 2T^2D$. The desk, $M$ wide inside, has two matrices of $D$ by $M$: $2 \cdot 2TDM$.
# Biases, norms and softmax are small beside them.


# %%
def block_costs(width, hidden, length):
    """Parameters, and operations in matrix products for one text, of an encoder block: {part: (both)}."""
    return {
        "projections": (4 * width * width + 4 * width, 8 * length * width * width),
        "scores and mixing": (0, 4 * length * length * width),
        "feed-forward": (2 * width * hidden + hidden + width, 4 * length * width * hidden),
        "two layer norms": (4 * width, 0),
    }


width, hidden, length = 512, 2048, 100
block = EncoderBlock(width, 8, hidden)
with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
    assert block(torch.zeros(1, length, width)).shape == (1, length, width)
print(f"{'':20s}{'parameters':>12s}{'operations':>14s}")
for part, (n_parameters, n_operations) in block_costs(width, hidden, length).items():
    print(f"{part:20s}{n_parameters:12,}{n_operations:14,}")
n_parameters, n_operations = map(sum, zip(*block_costs(width, hidden, length).values()))
print(f"{'together':20s}{n_parameters:12,}{n_operations:14,}")
assert n_parameters == sum(parameter.numel() for parameter in block.parameters())
assert n_operations == counter.get_total_flops()
assert abs(block_costs(width, hidden, length)["feed-forward"][0] / n_parameters - 2 / 3) < 0.01

# %% [markdown]
# Two thirds of the parameters sit at the desk. The part that everybody talks about, every word looking at
# every other, has none at all, and costs little until the text is long. With $M = 4D$ the rest costs
# $24\,TD^2$, so the scores overtake it at $T = 6D$.

# %%
lengths = 2 ** np.arange(5, 16)  # 32 to 32,768 words
per_word = {"projections and feed-forward": [], "scores and mixing": []}
for n in lengths.tolist():
    costs = {part: n_operations / n for part, (_, n_operations) in block_costs(width, hidden, n).items()}
    per_word["scores and mixing"].append(costs["scores and mixing"])
    per_word["projections and feed-forward"].append(costs["projections"] + costs["feed-forward"])
at_crossing = {part: cost for part, (_, cost) in block_costs(width, hidden, 6 * width).items()}
others = at_crossing["projections"] + at_crossing["feed-forward"]
print(f"at {6 * width:,} words: scores {at_crossing['scores and mixing']:,}, all else {others:,}")
assert at_crossing["scores and mixing"] == others

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (part, line), style in zip(per_word.items(), ("-", "--")):
    ax.loglog(lengths, line, style, label=part)
ax.axvline(6 * width, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="words in the text (grey: 6 D)", ylabel="operations a word, width 512")
ax.set_title("The scores overtake all else at six times the width")
ax.legend()
plt.show()

# %% [markdown]
# ## A deep stack and a small task
#
# Now to the place of the norm. The paper of 2017 put it after the sum. Its stack needed a *warm-up* (7.3),
# a learning rate that climbs from zero. Is that the norm's fault? Our task: read a name, give its letters
# in alphabetical order, *emma* to *aemm*. Every letter must look at all others and count.

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
names = [name for name in names if len(name) <= 8]


def letter_codes(words, length=8):
    """Words as (B, length) numbers: a is 1, z is 26, and 0 fills up the end."""
    return torch.tensor([[ord(letter) - 96 for letter in word.ljust(length, "`")] for word in words])


letters = letter_codes(names)  # (n, 8)
ordered = letter_codes("".join(sorted(name)) for name in names)  # (n, 8)
print(len(names), "names,", names[0], "is", letters[0].tolist(), "and becomes", ordered[0].tolist())

# %% [markdown]
# A sorter is letters and places as vectors, a stack of blocks, and a guess at every place. A pre-norm
# stack hands on a sum that nobody has normed, so it ends with one more layer norm.


# %%
class Sorter(nn.Module):
    """A stack of encoder blocks that answers every letter of x, (B, T), with 27 logits, (B, T, 27)."""

    def __init__(self, width, n_heads, depth, norm_first):
        super().__init__()
        self.letter, self.place = nn.Embedding(27, width), nn.Embedding(8, width)
        self.blocks = nn.ModuleList(
            EncoderBlock(width, n_heads, 4 * width, norm_first=norm_first) for _ in range(depth)
        )
        self.final_norm = nn.LayerNorm(width) if norm_first else nn.Identity()
        self.read_out = nn.Linear(width, 27)
        for parameter in self.blocks.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def hidden(self, x):
        """What the stack made of x, (B, T), before the guess: (B, T, D)."""
        mask = (x > 0)[:, None, None, :]  # (B, T) -> (B, 1, 1, T)
        h = self.letter(x) + self.place.weight[: x.shape[1]]  # (B, T, D) + (T, D) -> (B, T, D)
        for block in self.blocks:
            h = block(h, mask)
        return self.final_norm(h)

    def forward(self, x):
        return self.read_out(self.hidden(x))  # (B, T, D) -> (B, T, 27)


# %% [markdown]
# Before any training we look at two things: the size of the gradient at each block (at the last matrix of
# its desk), and how far the stack's output moves when the blocks take one step of Adam (7.2).


# %%
def first_step(depth, norm_first, seed):
    """Gradient norm of each block's last matrix, (depth,), and the output's relative move in a step."""
    torch.manual_seed(seed)
    model = Sorter(64, 4, depth, norm_first)
    x, y = letters[seed * 64 : (seed + 1) * 64], ordered[seed * 64 : (seed + 1) * 64]  # (64, 8) each
    hidden = model.hidden(x)[x > 0]  # (n, D): padding left out
    F.cross_entropy(model.read_out(hidden), y[x > 0]).backward()
    gradients = [block.feed_forward[-1].weight.grad.norm().item() for block in model.blocks]
    torch.optim.Adam(model.blocks.parameters(), lr=0.001).step()
    with torch.no_grad():
        moved = (model.hidden(x)[x > 0] - hidden).norm() / hidden.norm()
    return np.array(gradients), moved.item()


places = {"post-norm": False, "pre-norm": True}
depths = (2, 6, 12, 24)
gradients, moves = {}, {}
print(f"{'':20s}{'blocks':>12s}{'gradient, 1':>12s}{'last':>12s}{'move':>12s}")
for place, norm_first in places.items():
    for depth in depths:
        found = [first_step(depth, norm_first, seed) for seed in range(4)]
        gradients[place, depth] = np.mean([norms for norms, _ in found], axis=0)  # (depth,)
        moves[place, depth] = np.mean([move for _, move in found])
        ends = gradients[place, depth][[0, -1]]
        print(f"{place:20s}{depth:12d}{ends[0]:12.3f}{ends[1]:12.3f}{moves[place, depth]:12.3f}")

assert gradients["post-norm", 24][-1] > 1.5 * gradients["post-norm", 24][0]
assert gradients["pre-norm", 24][-1] < gradients["pre-norm", 24][0] / 1.5
assert gradients["pre-norm", 24][-1] < gradients["pre-norm", 2][-1] / 1.5
assert gradients["post-norm", 24][-1] > gradients["post-norm", 2][-1] / 1.5
for depth in depths:
    assert moves["post-norm", depth] > 1.1 * moves["pre-norm", depth]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for place, style in zip(places, ("o-", "s--")):
    left.plot(np.arange(1, 25), gradients[place, 24], style, markersize=3, label=place)
    right.plot(depths, [moves[place, depth] for depth in depths], style, label=place)
left.set(xlabel="block of 24", ylabel="gradient norm of its last matrix", ylim=(0, None))
left.set_title("Post-norm's gradient rises by block, pre-norm's falls")
right.set(xlabel="blocks in the stack", ylabel="relative move of the output", ylim=(0, None))
right.set_title("One step of Adam moves post-norm farther")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# Under pre-norm a block is one voice among many in a growing sum, and the last ones hardly change it:
# their gradient shrinks as the stack gets deeper. Under post-norm each norm shrinks all that came before,
# so the last blocks speak loudest, at any depth. A first step at full size then throws the output
# farther; pre-norm's moves too, only less. Small first steps should help. Does it show in training?


# %%
def train(depth, norm_first, n_warmup, n_steps=150, batch_size=16, learning_rate=0.005, seed=0):
    """Adam on names never seen before; the loss (nats) of each batch before learning from it, (n_steps,)."""
    torch.manual_seed(seed)
    model = Sorter(32, 4, depth, norm_first)
    order = torch.randperm(len(letters))  # (n,)
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for step, rows in enumerate(order.split(batch_size)[:n_steps]):
        optimizer.param_groups[0]["lr"] = learning_rate * min(1, (step + 1) / max(1, n_warmup))
        x, y = letters[rows], ordered[rows]  # (B, 8) each
        loss = F.cross_entropy(model(x)[x > 0], y[x > 0])  # (n, 27) and (n,)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


counts = torch.bincount(letters[letters > 0]).double()[1:]  # (26,): how often each letter occurs
shares = counts / counts.sum()
guessing = -(shares * shares.log()).sum().item()
runs, final_losses = {}, {}
print(f"{'':28s}{'final loss':>12s}\n{'knows the frequencies':28s}{guessing:12.3f}")
for place, norm_first in places.items():
    for name, n_warmup in (("no warm-up", 0), ("warm-up", 60)):
        losses = runs[f"{place}, {name}"] = train(8, norm_first, n_warmup)
        final_losses[place, name] = losses[-20:].mean()
        print(f"{place + ', ' + name:28s}{final_losses[place, name]:12.3f}")

shallow_loss = train(2, norm_first=False, n_warmup=0)[-20:].mean()
print(f"{'post-norm, only 2 blocks':28s}{shallow_loss:12.3f}")
assert shallow_loss < guessing - 0.8
assert final_losses["post-norm", "no warm-up"] > guessing - 0.2
assert final_losses["post-norm", "warm-up"] < guessing - 0.5
assert max(final_losses["pre-norm", name] for name in ("no warm-up", "warm-up")) < guessing - 0.8

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, losses), style in zip(runs.items(), ("-", "--", "-.", ":")):
    ax.plot(np.arange(10, len(losses) + 1), np.convolve(losses, np.ones(10) / 10, "valid"), style, label=name)
ax.axhline(guessing, color="0.7", linewidth=0.8, zorder=0)
ax.set(
    xlabel="step (grey: knows only the frequencies)", ylabel="loss (nats), mean of 10 steps", ylim=(0.8, 4.2)
)
ax.set_title("Post-norm needs warm-up, pre-norm does not")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# So the deep post-norm stack without warm-up learns how frequent letters are, and stops there. With
# warm-up it gets off the ground; pre-norm learns faster with either start. That is why most models since
# about 2019 norm first. It is no law: two post-norm blocks train without any warm-up.
#
# ## The whole Transformer
#
# Now the machine of 2017. The encoder stack reads the source. The decoder stack reads the target so far
# and looks at the encoder's last layer. One matrix embeds the words of both languages and, transposed,
# reads the answer off. The embeddings are multiplied by $\sqrt D$, and the sines of lesson 12.3 are added;
# their sum is one more place for dropout. Both stacks end with a norm, as pre-norm needs; the paper's has
# none there, PyTorch's always has it.


# %%
def sinusoids(length, width):
    """Positional encodings, (length, width), sines and cosines in turn; Vaswani et al. 2017, 3.5."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))  # (D / 2,)
    angles = torch.arange(length)[:, None] * rates  # (T, 1) * (D / 2,) -> (T, D / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, D / 2, 2) -> (T, D)


class Transformer(nn.Module):
    """Logits (B, T, V) of the next word, from codes source (B, S) and target (B, T); 0 is padding."""

    def __init__(
        self, vocabulary, width, n_heads, hidden, n_layers, dropout=0.0, norm_first=True, longest=512
    ):
        super().__init__()
        sizes = width, n_heads, hidden, dropout, norm_first
        self.embedding = nn.Embedding(vocabulary, width)
        self.encoder = nn.ModuleList(EncoderBlock(*sizes) for _ in range(n_layers))
        self.decoder = nn.ModuleList(DecoderBlock(*sizes) for _ in range(n_layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("positions", sinusoids(longest, width), persistent=False)  # not saved
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def embed(self, codes):
        """(B, T) -> (B, T, D)"""
        scaled = self.embedding(codes) * math.sqrt(self.embedding.embedding_dim)
        return self.dropout(scaled + self.positions[: codes.shape[1]])  # (B, T, D) + (T, D) -> (B, T, D)

    def encode(self, source):
        """What the encoder makes of the source, (B, S, D), and which of it may be read, (B, 1, 1, S)."""
        memory, mask = self.embed(source), (source != 0)[:, None, None, :]  # (B, S) -> (B, 1, 1, S)
        for block in self.encoder:
            memory = block(memory, mask)
        return self.encoder_norm(memory), mask

    def forward(self, source, target):
        memory, memory_mask = self.encode(source)
        h, n = self.embed(target), target.shape[1]
        causal = torch.ones(n, n, dtype=torch.bool, device=target.device).tril()  # (T, T)
        for block in self.decoder:
            h = block(h, memory, causal, memory_mask)
        return self.decoder_norm(h) @ self.embedding.weight.T  # (B, T, D) @ (D, V) -> (B, T, V)


# %% [markdown]
# Three promises of a translator, before it has learned anything: a word does not depend on those after
# it, every word depends on the source, and padding at the end of the source changes nothing.

# %%
model = Transformer(50, 16, 2, 32, n_layers=2).double().eval()
source, target = torch.randint(1, 50, (1, 6)), torch.randint(1, 50, (1, 5))
later, other = target.clone(), source.clone()
later[0, 3] = later[0, 3] % 49 + 1
other[0, 2] = other[0, 2] % 49 + 1
with torch.no_grad():
    logits = model(source, target)  # (1, 5, 50)
    by_target = (logits - model(source, later)).abs().amax(dim=-1)[0]  # (5,)
    by_source = (logits - model(other, target)).abs().amax(dim=-1)[0]  # (5,)
    padded = F.pad(source, (0, 3))  # (1, 6) -> (1, 9)
    by_padding = (logits - model(padded, target)).abs().max().item()
print("another fourth target word:", (by_target > 1e-12).int().tolist())
print("another third source word: ", (by_source > 1e-12).int().tolist(), f"  padding: {by_padding:.0e}")
assert (by_target > 1e-12).tolist() == [False, False, False, True, True]
assert (by_source > 1e-12).all() and by_padding < 1e-12

# %% [markdown]
# Vaswani and colleagues gave their base model as 65 million parameters: six and six blocks of width 512,
# eight heads, a desk of 2,048, and a vocabulary of about 37,000 word pieces. The `meta` device makes
# tensors with a shape and no memory, enough to count them. Our formula for a block must agree.

# %%
with torch.device("meta"):
    base = Transformer(37_000, 512, 8, 2048, n_layers=6)
total = sum(parameter.numel() for parameter in base.parameters())
attentions = block_costs(512, 2048, 1)["projections"][0] + 2 * 512  # with the layer norm of the part
encoder_block = sum(n for n, _ in block_costs(512, 2048, 1).values())
by_hand = 37_000 * 512 + 6 * encoder_block + 6 * (encoder_block + attentions) + 2 * 2 * 512
for part in ("embedding", "encoder", "decoder"):
    print(f"{part:20s}{sum(p.numel() for p in getattr(base, part).parameters()):12,}")
print(f"{'together':20s}{total:12,}   {total / 65e6:.1%} of 65 million")
assert total == by_hand and abs(total / 65e6 - 1) < 0.04

# %% [markdown]
# ## What to remember
#
# - A block is attention (mix the words), then a feed-forward network (each word alone), each added to the
#   line that carries $x$.
# - Pre-norm leaves that line alone, and deep stacks train. Post-norm norms the line itself, and needs
#   warm-up.
# - Most parameters sit in the feed-forward part. The cost that grows with the square of the length is the
#   scores'; it leads from $T = 6D$ on.
# - A decoder block adds a causal mask and cross-attention: queries from the target, keys and values from
#   the source.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Train both stacks with `learning_rate=0.0005`. Does post-norm still need its warm-up?
# 2. Take the residual connections out of `EncoderBlock` and draw the gradient by block once more.
# 3. Count the base model with a desk as wide as $D$ instead of $4D$. How much of it was the desk?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, sections 3 and 5.3, table 3.
# - R. Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020: the gradients of
#   both orders at the start.
# - L. Liu et al., "Understanding the difficulty of training Transformers", EMNLP 2020: how far the output
#   moves.
