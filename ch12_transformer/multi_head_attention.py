# %% [markdown]
# # 12.3 Multi-head attention: several questions at once
#
# In "Ahab hunts the whale" the word _hunts_ raises two questions: who hunts, and who is hunted? An
# attention layer returns one average of the words' values (12.2), and two separate answers cannot be
# recovered from one average. So a Transformer computes several averages at once, each with weights of its
# own. Each of these attentions is called a *head*. Nearly every Transformer has such heads, whether it
# translates, answers questions, or predicts how a protein folds.
#
# **You will build** multi-head attention, first head by head, then with one array for all heads, then as
# a PyTorch module. Then you will train it and see where the heads look. **You need** self-attention with
# its masks (12.2), softmax (5.2), modules (4.3) and the Adam optimizer (7.2).

# %%
import math
import time

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
# Let each word carry one number, its size, which is $2$ for Ahab and $16$ for the whale. The word _hunts_
# needs the size of the hunter and the size of the prey. One head attends to both with weights $\frac12$
# and $\frac12$:
#
# $$\begin{aligned}
#   \text{Ahab hunts the whale:} \quad & \tfrac12 \cdot 2 + \tfrac12 \cdot 16 = 9 \\
#   \text{The whale hunts Ahab:} \quad & \tfrac12 \cdot 16 + \tfrac12 \cdot 2 = 9
# \end{aligned}$$
#
# The two sentences cannot be told apart. Would other weights help, for example $\frac14$ for the hunter
# and $\frac34$ for the prey?
#
# $$\begin{aligned}
#   \text{sizes } 2 \text{ and } 16: \quad & \tfrac14 \cdot 2 + \tfrac34 \cdot 16 = 12.5 \\
#   \text{sizes } 14 \text{ and } 12: \quad & \tfrac14 \cdot 14 + \tfrac34 \cdot 12 = 12.5
# \end{aligned}$$
#
# These two cannot be told apart, either. With any weights, one head gives one equation for two unknowns. A
# second head with other weights gives a second equation, and then both unknowns can be found. The most
# convenient weights are $(1, 0)$ and $(0, 1)$, because then each head returns one of the answers.
#
# A real word carries many numbers, so could one head put the hunter's numbers into the first half of its
# output and the prey's into the second? It could if the hunter's vector went to another place than the
# prey's. But a single value matrix serves all the words, so the same feature of every word lands in the
# same place, whichever part the word plays. The weights are all that the head can vary.

# %%
sizes = np.array([2.0, 16.0])  # (2,): hunter, prey
head_weights = np.array([[0.5, 0.5], [0.25, 0.75]])  # (2, 2): a row for each head
averages = head_weights @ sizes  # (2, 2) @ (2,) -> (2,): what the two heads return
recovered = np.linalg.solve(head_weights, averages)  # (2,): two equations, two unknowns
print(f"the heads return {averages}, from which follow the sizes {recovered}")
np.testing.assert_allclose(averages, [9, 12.5])
np.testing.assert_allclose(recovered, sizes)

# %% [markdown]
# ## One head
#
# First, what one head does (12.2). Each word is a vector of $D$ features, and three learned matrices turn
# it into three vectors of length $d$:
#
# - its query: what this word is looking for,
# - its key: what the queries of other words are compared with,
# - its value: what this word hands over to those who attend to it.
#
# The dot product of a query and a key, divided by $\sqrt d$, is their score. Softmax turns the scores
# of one query into weights, which are positive and sum to one. The output is the average of the values
# with these weights. Let the queries be the rows of $Q$, the keys those of $K$ and the values those of
# $V$:
#
# $$\operatorname{attention}(Q, K, V) = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$
#
# A mask tells which keys a query may attend to. A forbidden score is set to $-\infty$, and because
# $e^{-\infty} = 0$, that key gets no weight. In the shapes below, $T$ is the number of queries and $S$
# the number of keys.


# %%
def attention(query, key, value, mask=None):
    """Scaled dot-product attention (12.2): the output (..., T, d) and the weights (..., T, S).

    query: (..., T, d), key and value: (..., S, d); mask: boolean, broadcast against (..., T, S), True where
    a query may attend. A query that may attend to no key at all gets NaN, as in `nn.MultiheadAttention`.
    Raises ValueError if the mask is not boolean.
    """
    # (..., T, d) @ (..., d, S) -> (..., T, S)
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        if mask.dtype != bool:
            raise ValueError(f"the mask must be boolean, got {mask.dtype} of shape {mask.shape}")
        scores = np.where(mask, scores, -np.inf)
    exps = np.exp(scores - scores.max(axis=-1, keepdims=True))  # the largest is e⁰, so none overflows
    weights = exps / exps.sum(axis=-1, keepdims=True)
    return weights @ value, weights  # (..., T, S) @ (..., S, d) -> (..., T, d)


# %% [markdown]
# ## Several heads
#
# *Multi-head attention* runs $H$ heads on the same words, each with three matrices of its own. To keep
# the cost close to that of one large head, the heads share the width: each works with $d = D / H$
# features. Their outputs are joined end to end, which gives $D$ features again, and one more matrix, the
# *output projection* $W^O$, mixes what the heads have found.
#
# $$\begin{aligned}
#   \operatorname{head}_h &= \operatorname{attention}(x W_h^{Q\top},\; x W_h^{K\top},\; x W_h^{V\top}) \\
#   \text{out} &= [\operatorname{head}_1, \dots, \operatorname{head}_H]\, W^{O\top}
# \end{aligned}$$


# %%
def list_of_heads(x, heads, out_weight, mask=None):
    """Multi-head attention, one head after the other: (B, T, D) -> (B, T, D).

    heads: for each head its three matrices (d, D), for queries, keys and values; out_weight: (D, D).
    """
    outputs = []
    for weight_q, weight_k, weight_v in heads:
        query = x @ weight_q.T  # (B, T, D) @ (D, d) -> (B, T, d), and the same for key and value
        key = x @ weight_k.T
        value = x @ weight_v.T
        output, _ = attention(query, key, value, mask)  # (B, T, d)
        outputs.append(output)
    joined = np.concatenate(outputs, axis=-1)  # H times (B, T, d) -> (B, T, D)
    return joined @ out_weight.T  # (B, T, D) @ (D, D) -> (B, T, D)


# %%
n_batch = 2  # B: sentences
n = 5  # T: words in each
n_features = 12  # D
n_heads = 3  # H
d = n_features // n_heads  # features of each head
x = rng.normal(size=(n_batch, n, n_features))  # (B, T, D)
heads = rng.normal(size=(n_heads, 3, d, n_features)) / math.sqrt(n_features)  # (H, 3, d, D)
out_weight = rng.normal(size=(n_features, n_features)) / math.sqrt(n_features)  # (D, D)
list_out = list_of_heads(x, heads, out_weight)
print(x.shape, "->", list_out.shape)

# %% [markdown]
# ## One array for all heads
#
# The loop over heads can be replaced by an axis. Stack the query matrices of all heads on top of each
# other into one matrix $(D, D)$. A single product then gives all queries at once: each word's row holds
# the $d$ numbers of head 1, then those of head 2, and so on. We cut the row into heads and move the head
# axis to the front, $(B, H, T, d)$. Our `attention` works on the last two axes and repeats itself over
# all axes before them, so it needs no change. A small example shows where the numbers go.


# %%
def split_heads(x, n_heads):
    """(B, T, D) -> (B, H, T, D / H); x: an array or a tensor. Raises ValueError if H does not divide D."""
    n_batch, n, n_features = x.shape
    if n_features % n_heads:
        raise ValueError(f"{n_heads} heads cannot share {n_features} features")
    x = x.reshape(n_batch, n, n_heads, n_features // n_heads)  # (B, T, D) -> (B, T, H, d)
    return x.swapaxes(1, 2)  # (B, T, H, d) -> (B, H, T, d)


def join_heads(x):
    """(B, H, T, d) -> (B, T, D), where D = H * d: the reverse of `split_heads`."""
    n_batch, n_heads, n, d = x.shape
    return x.swapaxes(1, 2).reshape(n_batch, n, n_heads * d)  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)


two_words = np.arange(8).reshape(1, 2, 4)  # (B, T, D): one sentence of two words with four features each
print("words ", two_words[0].tolist())
for h, head in enumerate(split_heads(two_words, 2)[0]):
    print(f"head {h + 1}", head.tolist())
assert split_heads(two_words, 2).tolist() == [[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]]
assert np.array_equal(join_heads(split_heads(two_words, 2)), two_words)

# %% [markdown]
# Head 1 holds the first two numbers of each word, head 2 the last two.
#
# Now the whole layer, with a bias for each projection. The keys and values may come from another sequence
# than the queries, here called `context`. That is *cross-attention*: in a translator, the words being
# written attend to the words of the text being read, and lesson 12.7 builds one.


# %%
def multi_head_attention(x, parameters, n_heads, mask=None, context=None):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2): output (B, T, D), weights (B, H, T, S).

    x: (B, T, D) gives the queries, context: (B, S, D), by default x, the keys and values; parameters: weight
    (3D, D) and bias (3D,) of queries, keys and values, weight (D, D) and bias (D,) of the output; mask:
    boolean, broadcast against (B, H, T, S), True where a query may attend.
    Raises ValueError if H does not divide D.
    """
    in_weight, in_bias, out_weight, out_bias = parameters
    if context is None:
        context = x
    weight_q, weight_k, weight_v = np.split(in_weight, 3)  # (3D, D) -> three (D, D)
    bias_q, bias_k, bias_v = np.split(in_bias, 3)  # (3D,) -> three (D,)
    query = split_heads(x @ weight_q.T + bias_q, n_heads)  # (B, T, D) @ (D, D) -> (B, T, D) -> (B, H, T, d)
    key = split_heads(context @ weight_k.T + bias_k, n_heads)  # (B, S, D) -> (B, H, S, d)
    value = split_heads(context @ weight_v.T + bias_v, n_heads)  # (B, S, D) -> (B, H, S, d)
    output, weights = attention(query, key, value, mask)  # (B, H, T, d), (B, H, T, S)
    return join_heads(output) @ out_weight.T + out_bias, weights  # (B, T, D) @ (D, D) -> (B, T, D)


# %%
in_weight = heads.swapaxes(0, 1).reshape(-1, n_features)  # (H, 3, d, D) -> (3, H, d, D) -> (3D, D)
parameters = in_weight, np.zeros(3 * n_features), out_weight, np.zeros(n_features)
out, weights = multi_head_attention(x, parameters, n_heads)
largest = np.abs(out - list_out).max()
print(f"weights {weights.shape}, largest difference from the list of heads {largest:.1e}")
np.testing.assert_allclose(out, list_out, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The same in PyTorch
#
# As a module the layer is the same few lines. It returns the weights along with the output, because we
# want to look at them.


# %%
class MultiHeadAttention(nn.Module):
    """Multi-head attention: queries from x (B, T, D), keys and values from context (B, S, D), by default x.

    Returns the output (B, T, D) and the weights (B, H, T, S). mask: boolean, broadcast against
    (B, H, T, S), True where a query may attend; a query that may attend to no key at all gets NaN.
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

    def project(self, x, context):
        """The queries (B, H, T, d), and the keys and values (B, H, S, d) of all heads."""
        query = split_heads(self.project_query(x), self.n_heads)  # (B, T, D) -> (B, H, T, d)
        key = split_heads(self.project_key(context), self.n_heads)  # (B, S, D) -> (B, H, S, d)
        value = split_heads(self.project_value(context), self.n_heads)  # (B, S, D) -> (B, H, S, d)
        return query, key, value

    def forward(self, x, context=None, mask=None):
        query, key, value = self.project(x, x if context is None else context)
        scores = query @ key.mT / math.sqrt(query.shape[-1])  # (B, H, T, d) @ (B, H, d, S) -> (B, H, T, S)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(dim=-1)  # (B, H, T, S)
        output = join_heads(weights @ value)  # (B, H, T, S) @ (B, H, S, d) -> (B, H, T, d) -> (B, T, D)
        return self.project_out(output), weights


# %% [markdown]
# We compare it with `nn.MultiheadAttention`, which keeps the three input matrices stacked as $(3D, D)$,
# as our NumPy function does. Two of its habits surprise many people: in its boolean masks `True` means
# _blocked_, and it returns the weights averaged over the heads, unless told otherwise. Two masks are
# combined here: the causal mask lets a word attend to itself and to earlier words only, and the
# padding mask hides the last two positions of the second sentence, as if they were filled up.

# %%
module = MultiHeadAttention(n_features, n_heads).double()
reference = nn.MultiheadAttention(n_features, n_heads, batch_first=True, dtype=torch.float64)
projections = (module.project_query, module.project_key, module.project_value)
with torch.no_grad():  # the same weights and biases for all three versions
    reference.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))  # (3D, D)
    reference.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))  # (3D,)
    reference.out_proj.load_state_dict(module.project_out.state_dict())
parameters = [parameter.detach().numpy() for parameter in reference.parameters()]

causal = np.tri(n, dtype=bool)  # (T, S): True on and below the diagonal
padding = np.arange(n) < np.array([[n], [n - 2]])  # (B, S)
mask = causal & padding[:, None, None]  # (T, S) & (B, 1, 1, S) -> (B, 1, T, S)

out, weights = multi_head_attention(x, parameters, n_heads, mask)
module_x = torch.tensor(x, requires_grad=True)
module_out, module_weights = module(module_x, mask=torch.from_numpy(mask))
reference_x = torch.tensor(x, requires_grad=True)
reference_out, reference_weights = reference(
    reference_x,
    reference_x,
    reference_x,
    attn_mask=torch.from_numpy(~causal),
    key_padding_mask=torch.from_numpy(~padding),
    average_attn_weights=False,
)

# %% [markdown]
# To compare gradients we need a loss, and we take the sum of all outputs, each multiplied by a random
# number. The gradient of that loss at the output is the array of those random numbers, the cotangent
# (5.2). (A plain sum would give all outputs the same gradient, and an error that mixes them up could go
# unnoticed.)

# %%
cotangent = torch.from_numpy(rng.normal(size=out.shape))  # (B, T, D)
# (the graph is used up here: to run this cell again, run the file from the top)
(module_out * cotangent).sum().backward()
(reference_out * cotangent).sum().backward()
in_weight_grad = torch.cat([projection.weight.grad for projection in projections])  # (3D, D)
in_bias_grad = torch.cat([projection.bias.grad for projection in projections])  # (3D,)
comparisons = {
    "output, NumPy": (torch.from_numpy(out), reference_out),
    "output, module": (module_out, reference_out),
    "weights, NumPy": (torch.from_numpy(weights), reference_weights),
    "weights, module": (module_weights, reference_weights),
    "gradient of x": (module_x.grad, reference_x.grad),
    "of the input weights": (in_weight_grad, reference.in_proj_weight.grad),
    "of the input biases": (in_bias_grad, reference.in_proj_bias.grad),
    "of the output weights": (module.project_out.weight.grad, reference.out_proj.weight.grad),
    "of the output biases": (module.project_out.bias.grad, reference.out_proj.bias.grad),
}
for name, (ours, theirs) in comparisons.items():
    print(f"{name:24s}largest difference {(ours - theirs).abs().max():.1e}")
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)

context = rng.normal(size=(n_batch, 7, n_features))  # (B, S, D): another sequence, of another length
crossed, _ = multi_head_attention(x, parameters, n_heads, context=context)
tensors = torch.from_numpy(x), torch.from_numpy(context)
for ours in (torch.from_numpy(crossed), module(*tensors)[0]):
    theirs, _ = reference(tensors[0], tensors[1], tensors[1])  # queries, keys, values
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
print(f"cross-attention from {n} words to {context.shape[1]}: output {crossed.shape}")

# %% [markdown]
# All differences are rounding errors, so the three versions compute the same thing, also if the keys and
# values come from another sequence.
#
# ## Do two heads divide the work?
#
# Here is the question of the opening as a task that can be trained. Eight items carry random vectors. One
# of them is marked as the hunter and another one as the prey. A ninth position asks, and the answer
# should be both vectors, the hunter's $u$ and the prey's $v$. The model is an embedding, one attention
# layer, and a linear read-out of the ninth position.
#
# What can a model with one head achieve? If the head gives half its weight to each of the two, it returns
# $(u + v) / 2$. The best guess of $u$ is then this mean itself, and it misses by $(u - v) / 2$. With
# independent entries of variance $1$ the squared miss is on average $\frac14 (1 + 1) = \frac12$, and the
# same holds for $v$. With uneven weights the head returns $m = a u + b v$. The best guess of $u$ is then a
# multiple $c\, m$, which misses it by $(1 - c a)\, u - c b\, v$. On average the squared miss is $(1 -
# ca)^2 + (cb)^2$, and that is smallest at $c = a / (a^2 + b^2)$. So uneven weights make one answer better
# and the other one worse:
#
# $$\frac{b^2}{a^2 + b^2} \text{ for } u, \qquad \frac{a^2}{a^2 + b^2} \text{ for } v .$$
#
# The mean is still $\frac12$, and that is our prediction for one head, as long as its weights depend on
# the marks alone. (They may depend on the vectors, too, and that leaves room for a little more or less.)
# With two heads an error of zero is possible. But will training find it? And will the heads divide the
# work, one answer each, although nothing tells them to?


# %%
def two_look_ups(batch_size, generator, n_items=8, size=6):
    """Inputs (B, n_items + 1, size + 3), answers (B, 2 * size), and the positions (B,) of hunter and prey.

    A position has a vector of `size` numbers and three marks: hunter, prey, and "this position asks".
    """
    vectors = torch.randn(batch_size, n_items, size, generator=generator)
    order = torch.rand(batch_size, n_items, generator=generator).argsort(dim=1)  # each row: 0 to 7, shuffled
    hunter, prey = order[:, 0], order[:, 1]  # (B,) each, never the same
    rows = torch.arange(batch_size)  # vectors[rows, hunter] picks one item from each row
    x = torch.zeros(batch_size, n_items + 1, size + 3)
    x[:, :-1, :size] = vectors
    x[rows, hunter, size] = 1.0
    x[rows, prey, size + 1] = 1.0
    x[:, -1, size + 2] = 1.0
    y = torch.cat([vectors[rows, hunter], vectors[rows, prey]], dim=1)  # two (B, size) -> (B, 2 * size)
    return x, y, hunter, prey


class LookUp(nn.Module):
    """Embedding, multi-head attention, linear read-out of the last position: (B, T, n_in) -> (B, n_out)."""

    def __init__(self, n_heads, n_in=9, n_features=32, n_out=12):
        super().__init__()
        self.embed = nn.Linear(n_in, n_features)
        self.attention = MultiHeadAttention(n_features, n_heads)
        self.read_out = nn.Linear(n_features, n_out)

    def attend(self, x):
        """Output (B, T, D) and weights (B, H, T, T) of the attention layer."""
        return self.attention(self.embed(x))

    def forward(self, x):
        output, _ = self.attend(x)
        return self.read_out(output[:, -1])  # (B, T, D) -> (B, D) -> (B, n_out)


# %%
def fit(model, batch_loss, seed, n_steps):
    """Train with Adam; batch_loss(model, generator) draws a new batch and returns its loss. All losses."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(n_steps):
        loss = batch_loss(model, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def look_up_loss(model, generator):
    """Mean squared error of both answers on a new batch."""
    x, y, _, _ = two_look_ups(64, generator)
    return F.mse_loss(model(x), y)


# %% [markdown]
# We train with one, two and four heads, from four different starts each. The width, the number of
# parameters, the batches, the number of steps and the learning rate are the same for all of them.

# %%
HEAD_COUNTS = (1, 2, 4)
SEEDS = (0, 1, 2, 3)
test_x, test_y, test_hunter, test_prey = two_look_ups(2000, torch.Generator().manual_seed(99))
look_up_models = {count: [] for count in HEAD_COUNTS}  # a list with a model for each seed
look_up_curves = {count: [] for count in HEAD_COUNTS}
test_errors = {count: [] for count in HEAD_COUNTS}
for count in HEAD_COUNTS:
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = LookUp(count)
        look_up_curves[count].append(fit(model, look_up_loss, seed, n_steps=200))
        with torch.no_grad():
            test_errors[count].append(F.mse_loss(model(test_x), test_y).item())
        look_up_models[count].append(model)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    errors = "".join(f"{error:12.2g}" for error in test_errors[count])
    print(f"heads {count}   parameters {n_parameters}   test errors{errors}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for color, count, style in zip(("C0", "C1", "C2"), HEAD_COUNTS, ("-", "--", "-.")):
    for seed, losses in zip(SEEDS, look_up_curves[count]):
        label = f"heads: {count}" if seed == SEEDS[0] else None  # one entry for all seeds
        ax.semilogy(losses, style, color=color, linewidth=0.8, label=label)
ax.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
ax.text(60, 0.75, "predicted for one head", color="0.4", va="bottom")
ax.set(xlabel="step", ylabel="squared error", title="Training with 1, 2 and 4 heads, four starts each")
ax.legend(loc="lower left")
plt.show()

# %% [markdown]
# With one head the error falls to the predicted half and stays there, from each of the four starts. With
# two heads it goes on falling by several powers of ten, and with four it does not fall further. All these
# models have the same number of parameters, so what counts here is the number of separate averages.
#
# But where do the heads look? For the first test inputs we draw the weights of the position that asks,
# one row for each input and one column for each position, with circles for the hunter and squares for the
# prey. The table has the mean weights over all test inputs, and for two heads it has them for every seed.

# %%
n_shown = 12
panels = {}  # of seed 0: the weights of the position that asks, (2000, T)
mean_weights = {}  # of each head: its mean weights on the hunter and on the prey
rows = torch.arange(len(test_x))
print(f"{'mean weight on':20s}{'hunter':>12s}{'prey':>12s}{'all others':>12s}")
for count in (1, 2):
    for seed, model in zip(SEEDS, look_up_models[count]):
        with torch.no_grad():
            _, look_up_weights = model.attend(test_x)  # (2000, H, T, T)
        for h in range(count):
            asking = look_up_weights[:, h, -1]  # (2000, T): from the last position to all
            on_hunter = asking[rows, test_hunter].mean().item()
            on_prey = asking[rows, test_prey].mean().item()
            name = f"head {h + 1} of {count}, seed {seed}"
            mean_weights[name] = on_hunter, on_prey
            if seed == SEEDS[0]:
                panels[name] = asking
            print(f"{name:20s}{on_hunter:12.3f}{on_prey:12.3f}{1 - on_hunter - on_prey:12.3f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (name, asking) in zip(axes, panels.items()):
    image = ax.imshow(asking[:n_shown].numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    ax.plot(test_hunter[:n_shown].numpy(), range(n_shown), "o", color="red", fillstyle="none", label="hunter")
    ax.plot(test_prey[:n_shown].numpy(), range(n_shown), "s", color="white", fillstyle="none", label="prey")
    ax.set(title=name, xlabel="position attended to", xticks=range(9))
axes[0].set_ylabel("test input")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside left upper", facecolor="0.6")
fig.colorbar(image, ax=axes, label="weight")
fig.suptitle("Attention weights of the position that asks")
plt.show()

# %% [markdown]
# In each row of the left panel the single head gives weight to the circle and to the square, so it
# returns a mixture. In the middle, nearly all the weight lies on one kind of mark in every row, and on
# the right it lies on the other kind. So the two heads have divided the work, although the loss only
# punishes wrong answers. The table says the same of all four starts, and which head takes the hunter is
# chance.
#
# This is a small task with two clear answers. In large models some heads have roles that can be named,
# such as attending to the word before, and many others can be removed with little harm (Voita et al.
# 2019).
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
assert len(test_errors[1]) == len(test_errors[2]) == len(test_errors[4]) == 4, "there are four seeds"
assert min(test_errors[1]) > 0.45, "with one head the error stays at a half"
assert max(test_errors[1]) < 0.55, "with one head the error falls to a half"
assert max(test_errors[2]) < 1e-3, "with two heads the error goes on falling by powers of ten"
assert max(test_errors[4]) < 1e-3, "with four heads the error goes on falling, too"
for seed in SEEDS:
    alone = mean_weights[f"head 1 of 1, seed {seed}"]
    assert min(alone) > 0.05, "a single head attends to both marks"
    first, second = mean_weights[f"head 1 of 2, seed {seed}"], mean_weights[f"head 2 of 2, seed {seed}"]
    assert max(first) > 0.85, "the first of two heads attends to one mark"
    assert max(second) > 0.85, "the second of two heads attends to one mark"
    assert np.argmax(first) != np.argmax(second), "the two heads attend to different marks"

# %% [markdown]
# ## Going further
#
# This can be skipped; it is how libraries compute the layer, and lesson 12.7 uses it for speed.
#
# ### The same, faster
#
# Two changes make the layer faster. The three input matrices are stacked into one, so that $x$ is read
# once instead of three times. And `F.scaled_dot_product_attention` computes the output block by block,
# without ever storing the $T \times T$ weights (12.2). The price is that there are no weights to look at.


# %%
def fast_self_attention(module, x):
    """The output (B, T, D) of a `MultiHeadAttention` on x (B, T, D), without its weights."""
    projections = (module.project_query, module.project_key, module.project_value)
    in_weight = torch.cat([projection.weight for projection in projections])  # three (D, D) -> (3D, D)
    in_bias = torch.cat([projection.bias for projection in projections])  # three (D,) -> (3D,)
    projected = F.linear(x, in_weight, in_bias)  # (B, T, D) @ (D, 3D) -> (B, T, 3D)
    query, key, value = (split_heads(part, module.n_heads) for part in projected.chunk(3, dim=-1))
    output = F.scaled_dot_product_attention(query, key, value)  # (B, H, T, d)
    return module.project_out(join_heads(output))


def milliseconds(f, n_rounds=3):
    """Shortest time of a call of f, which keeps out whatever else the machine is doing."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


wide_module = MultiHeadAttention(128, 4)
long_x = torch.randn(4, 512, 128)  # (B, T, D)
with torch.no_grad():
    fast_out = fast_self_attention(wide_module, long_x)
    torch.testing.assert_close(fast_out, wide_module(long_x)[0], rtol=1e-4, atol=1e-5)  # float32
    print(f"plain {milliseconds(lambda: wide_module(long_x)):8.2f} ms")
    print(f"fast  {milliseconds(lambda: fast_self_attention(wide_module, long_x)):8.2f} ms")

# %% [markdown]
# ## What to remember
#
# - One head returns one average, and one average cannot hold two answers. Several heads keep several
#   answers apart, at about the same cost, because they share the features.
# - All heads are computed at once: project, reshape to $(B, H, T, d)$, attend, join, project.
# - In training, heads can divide the work although nothing tells them to.
# - In `F.scaled_dot_product_attention` a mask's `True` means "may attend", in `nn.MultiheadAttention` it
#   means "blocked".
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let the position that asks see the prey only: in `two_look_ups`, return
#    `y = vectors[rows, prey].repeat(1, 2)`, the prey's vector twice. What will the test errors with one
#    head be, in the printed lines before the first figure, and why?
# 2. Heads without an output projection: put the line `self.attention.project_out = nn.Identity()` after
#    the line with `self.read_out`. Do the printed test errors with two heads get worse? Why, or why not?
# 3. From a blank cell after the one that defines `look_up_loss`: write `three_look_ups`, with a third
#    mark for the harpoon, train `LookUp(n_heads, 10, 32, 18)` on it, and print the test error for one,
#    two and four heads. Which errors do you predict, by the argument for one head above?
#
# ## Sources
#
# - A. Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.2: several heads attend to
#   different things, where a single one averages. Reproduced: "the two heads attend to different marks".
# - E. Voita et al., "Analyzing multi-head self-attention: specialized heads do the heavy lifting, the
#   rest can be pruned", ACL 2019: what heads of a trained translator do.
