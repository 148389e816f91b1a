# %% [markdown]
# # 9.4 Residual blocks: what a shortcut does for a deep network
#
# Does a network get better if you add layers? For years the answer was yes, up to about twenty. Then it
# turned into no: a network with 56 layers had a higher error than one with 20, and that on the very images
# that it was trained on. In 2015 four researchers took the layers in pairs and added the input of each pair
# to its output, and networks with 152 layers could be trained. Such a pair with its sum is a *residual
# block*. Today it is part of nearly every deep network, from image recognition to the Transformers of
# chapter 12. What exactly does it repair?
#
# **You will build** the block, train plain and residual networks of 6 to 42 layers, and test two
# explanations of what you see, by measuring gradients and by taking out blocks of finished networks.
# **You need** gradients that shrink and grow from layer to layer (6.5, 7.5), learning rates chosen by
# trial (7.2), batch norm (8.3) and convolution (9.1). **It takes** about a minute.

# %%
import copy
import itertools
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# Three layers have the slopes $0.1$, $0.2$ and $0.5$. In a stack, slopes multiply (2.3). If each layer
# instead adds its output to its input, $y = x + f(x)$, its slope is $1 + f'$:
#
# $$\begin{aligned}
#   \text{stacked} \quad & 0.1 \cdot 0.2 \cdot 0.5 = 0.01 \\
#   \text{added to the input} \quad & 1.1 \cdot 1.2 \cdot 1.5 = 1.98
# \end{aligned}$$
#
# If the second product is multiplied out, it has eight terms, one for each choice of layers that a signal
# goes through: through none of them $1$, through one $0.1 + 0.2 + 0.5$, through two $0.02 + 0.05 + 0.1$,
# and through all three $0.01$.

# %%
slopes = (0.1, 0.2, 0.5)
stacked = math.prod(slopes)
added = math.prod(1 + slope for slope in slopes)
by_length = []
for n_layers in range(len(slopes) + 1):
    by_length.append(sum(math.prod(path) for path in itertools.combinations(slopes, n_layers)))
print(f"stacked {stacked:.2f}, added {added:.2f}")
print("paths through 0, 1, 2, 3 layers: " + ", ".join(f"{value:.2f}" for value in by_length))
assert math.isclose(stacked, 0.01) and math.isclose(added, 1.98) and math.isclose(sum(by_length), added)

# %% [markdown]
# ## The basic block
#
# The *branch* $f$ consists of two convolutions with their batch norms (8.3). The *shortcut* carries $x$
# around it, and a ReLU follows the sum:
#
# $$\begin{aligned}
#   h &= \operatorname{ReLU}(\text{norm}_1(\text{conv}_1(x))) \\
#   f(x) &= \text{norm}_2(\text{conv}_2(h)) \\
#   y &= \operatorname{ReLU}(f(x) + x)
# \end{aligned}$$
#
# The block is called residual because $f$ has to learn only what should be different from $x$, the
# residue. If nothing should be different, zero weights suffice.
#
# A sum needs equal shapes. If the branch changes the number of channels, or halves the sides by a stride
# of two, the shortcut does the same by a $1\times1$ convolution with a norm, a *projection shortcut*. A
# plain block, for comparison, is the same without the sum.


# %%
def conv(n_in, n_out, size, stride=1):
    """A convolution that keeps the sides at stride 1; no bias, because a norm follows (8.3)."""
    return nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    """relu(f(x) + x) with a branch f of two 3 × 3 convolutions; He et al. 2015, figure 5, left.

    x: (B, n_in, H, W) -> (B, n_out, H / stride, W / stride), sides rounded up.
    """

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = conv(n_in, n_out, 3, stride)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = conv(n_out, n_out, 3)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(conv(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))

    def branch(self, x):
        """f(x)."""
        h = F.relu(self.bn1(self.conv1(x)))  # (B, n_in, H, W) -> (B, n_out, H / stride, W / stride)
        return self.bn2(self.conv2(h))

    def shortcut(self, x):
        """x itself, or its projection to the shape of f(x)."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x))


class PlainBlock(BasicBlock):
    """The same without the shortcut: relu(f(x)). It keeps the width, so that it has the same parameters."""

    def forward(self, x):
        return F.relu(self.branch(x))


def count(module):
    """How many parameters a module has."""
    return sum(parameter.numel() for parameter in module.parameters())


for n_in, n_out, stride in ((12, 12, 1), (12, 24, 2)):
    block = BasicBlock(n_in, n_out, stride)
    out = block(torch.rand(1, n_in, 14, 14))
    print(f"{n_in} to {n_out} channels: {count(block):,} parameters, 14 × 14 -> {tuple(out.shape[2:])}")

# %% [markdown]
# ## The same in PyTorch
#
# Torchvision's block has the same names inside, so its weights fit into ours. Outputs, gradients and
# running statistics must agree, in float64 and in training mode, with $x$ itself as the shortcut and with
# a projection.


# %%
def projection(n_in, n_out, stride):
    """The projection that torchvision's blocks are given from outside, None if shapes agree."""
    if stride == 1 and n_in == n_out:
        return None
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


def largest_difference(mine, library, x):
    """Largest difference of outputs, gradients and buffers, with the library's random weights in both."""
    for parameter in library.parameters():
        nn.init.normal_(parameter, std=0.5)
    mine.load_state_dict(library.state_dict())
    results = []
    for block in (mine, library):
        block_x = x.clone().requires_grad_()
        out = block(block_x)
        torch.manual_seed(1)
        (out * torch.randn_like(out)).sum().backward()  # the gradient of a random weighting of all outputs
        grads = {name: parameter.grad for name, parameter in block.named_parameters()}
        buffers = dict(block.named_buffers())
        results.append({"out": out, "x": block_x.grad, **grads, **buffers})
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


torch.manual_seed(0)
for n_in, n_out, stride in ((8, 8, 1), (8, 16, 1), (8, 16, 2)):
    library = resnet.BasicBlock(n_in, n_out, stride, projection(n_in, n_out, stride)).double()
    x = torch.randn(3, n_in, 7, 5, dtype=torch.float64)
    difference = largest_difference(BasicBlock(n_in, n_out, stride).double(), library, x)
    print(f"{n_in} to {n_out} channels, stride {stride}: largest difference {difference:.1e}")
    assert difference < 1e-9

# %% [markdown]
# All differences are rounding.
#
# ## Does depth hurt?
#
# A deeper network can do all that a shallower one can, because its extra layers need only pass their
# input on. So after training its loss on the training images should not be higher. Kaiming He and his
# colleagues found that it is, and called it *degradation*. It is not overfitting (1.2), which would show
# on new images only.
#
# We repeat this on a small scale: images of clothes shrunk to $7\times7$ pixels, twelve channels in every
# layer, and 6, 10, 18 and 42 layers with weights (one convolution, blocks of two, and the linear layer).
# Plain and residual networks of one depth have the same parameters. Each trains for 120 steps with
# batches of 32, drawn at random from 5,000 images, and we compare the mean loss of its last 30 batches.
# An average image is drawn less than once, so learning by heart plays no part yet.
#
# What is a fair learning rate? A plain network of 42 layers might need another than one of 6. So each
# network first tries three rates, and then goes on with its own best one for two more seeds.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
inputs = F.avg_pool2d(train_images[:, None], 4)  # (5000, 28, 28) -> (5000, 1, 7, 7)
inputs = (inputs - inputs.mean()) / inputs.std()

DEPTHS = (6, 10, 18, 42)
RATES = (0.02, 0.06, 0.2)
SEEDS = (0, 1, 2)
KINDS = {"plain": PlainBlock, "residual": BasicBlock}
N_CHANNELS = 12
N_STEPS = 120
BATCH_SIZE = 32


def network(depth, block_class):
    """(B, 1, H, W) -> scores (B, 10) through `depth` layers with weights, all of one width."""
    blocks = [block_class(N_CHANNELS, N_CHANNELS) for _ in range((depth - 2) // 2)]
    model = nn.Sequential(
        conv(1, N_CHANNELS, 3),
        nn.BatchNorm2d(N_CHANNELS),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),  # the mean of each map: (B, 12, 7, 7) -> (B, 12, 1, 1)
        nn.Flatten(),
        nn.Linear(N_CHANNELS, 10),
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # He initialization (6.5)
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model.to(memory_format=torch.channels_last)  # the channels of a pixel side by side: faster here


def train(model, rate, seed):
    """Train in place by SGD with momentum; returns the loss of every batch before its step (nats)."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    model.train()
    losses = []
    for _ in range(N_STEPS):
        batch = torch.randint(len(inputs), (BATCH_SIZE,), generator=generator)  # no epochs: under one pass
        loss = F.cross_entropy(model(inputs[batch]), train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def gradient_norms(model):
    """The norm of the loss's gradient for each convolution's weights, from input to output: (n_layers,)."""
    model = copy.deepcopy(model)  # so that neither its gradients nor its running statistics change
    model.zero_grad()
    F.cross_entropy(model(inputs[:64]), train_labels[:64]).backward()
    return np.array([m.weight.grad.norm().item() for m in model.modules() if isinstance(m, nn.Conv2d)])


# %% [markdown]
# All runs go through one function, which notes what we shall look at later.

# %%
curves = {}
last_losses = {}
trained = {}
norms_at_start = {}
norms_after = {}


def run(kind, depth, rate, seed):
    """Train one network, and note its losses, the trained model, and its gradients before and after."""
    torch.manual_seed(seed)
    model = network(depth, KINDS[kind])
    key = kind, depth, rate, seed
    norms_at_start[key] = gradient_norms(model)
    curves[key] = train(model, rate, seed)
    last_losses[key] = np.mean(curves[key][-30:])
    norms_after[key] = gradient_norms(model)
    trained[key] = model


for kind, depth, rate in itertools.product(KINDS, DEPTHS, RATES):
    run(kind, depth, rate, seed=0)
print(f"{'loss, seed 0':20s}" + "".join(f"{f'rate {rate}':>12s}" for rate in RATES))
best_rate = {}
for kind, depth in itertools.product(KINDS, DEPTHS):
    tried = {rate: last_losses[kind, depth, rate, 0] for rate in RATES}
    best_rate[kind, depth] = min(tried, key=tried.get)
    print(f"{f'{kind}, {depth} layers':20s}" + "".join(f"{tried[rate]:12.3f}" for rate in RATES))

# %% [markdown]
# Read each column downwards. In the plain networks the loss of 42 layers is far above that of 6 at every
# rate, so the harm does not come from one unlucky rate. Now each network continues with its own best
# rate.

# %%
for kind, depth, seed in itertools.product(KINDS, DEPTHS, SEEDS[1:]):
    run(kind, depth, best_rate[kind, depth], seed)


def best_key(kind, depth, seed):
    """The key of the run at this network's own best rate."""
    return kind, depth, best_rate[kind, depth], seed


table = {}
print(f"{'loss at best rate':20s}" + "".join(f"{f'seed {seed}':>12s}" for seed in SEEDS))
for kind, depth in itertools.product(KINDS, DEPTHS):
    table[kind, depth] = np.array([last_losses[best_key(kind, depth, seed)] for seed in SEEDS])
    print(f"{f'{kind}, {depth} layers':20s}" + "".join(f"{loss:12.3f}" for loss in table[kind, depth]))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for kind, depth, style in (
    ("plain", 6, "-"),
    ("plain", 42, "--"),
    ("residual", 6, "-."),
    ("residual", 42, ":"),
):
    smooth = np.convolve(curves[best_key(kind, depth, 0)], np.full(10, 0.1), mode="valid")
    color = "C0" if kind == "plain" else "C1"
    left.plot(np.arange(10, 10 + len(smooth)), smooth, style, color=color, label=f"{kind}, {depth} layers")
left.axhline(math.log(10), color="0.7", linewidth=0.8, zorder=0)  # the loss of guessing
left.set(xlabel="step", ylabel="loss (nats), mean of ten", title="Training of seed 0", ylim=(0, 3))
left.legend()
for kind, marker, color in (("plain", "o", "C0"), ("residual", "s", "C1")):
    right.plot(DEPTHS, [table[kind, depth].mean() for depth in DEPTHS], marker + "-", color=color, label=kind)
    for depth in DEPTHS:
        right.plot([depth] * len(SEEDS), table[kind, depth], marker, color=color, markersize=3)
right.set(xscale="log", xlabel="layers", title="Loss at the end, each at its best rate (three seeds)")
right.set_xticks(DEPTHS, labels=DEPTHS)
right.minorticks_off()
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# Look at the right panel, from left to right. With 6 and 10 layers the two kinds are alike. Then the
# plain curve rises, for every seed, and with 42 layers a plain network has learned little. The residual
# curve is flat: 42 layers are as good as 6, and hardly better. So what the shortcut does here, in networks
# this narrow and trainings this short, is to undo the harm of depth. It does not turn depth into a gain
# worth the work. (The rates were chosen on seed 0. The other two seeds played no part in that, and they
# agree.)
#
# Some of the best rates lie at an end of the grid. Which of them do differs from one processor to another,
# because rounding changes how such trainings end. Tried further out on one seed, the plain network of 6
# layers and, where $0.2$ was its best rate, that of 42 layers were worse at rates of $0.35$ and $0.6$, and
# the residual networks of 10 and 42 layers did not gain from $0.006$. (He and his colleagues trained wider
# networks for days, and there the residual ones did gain with depth.)
#
# ## First explanation: the gradients
#
# The usual story is that gradients vanish on their way back through many layers (6.5). With batch norm
# after each convolution, does that still happen? For the networks of 42 layers we compare the norm of
# $\partial L / \partial W$ for each convolution, from one batch, at the start and after training.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, norms, when in ((left, norms_at_start, "At the start"), (right, norms_after, "After training")):
    for kind, style, color in (("plain", "-", "C0"), ("residual", "--", "C1")):
        for seed in SEEDS:
            values = norms[best_key(kind, 42, seed)]
            label = f"{kind}, 42 layers" if seed == 0 else None
            ax.semilogy(np.arange(1, len(values) + 1), values, style, color=color, linewidth=1, label=label)
    ax.set(xlabel="convolution, counted from the input", title=f"{when} (three seeds)")
left.set(ylabel="norm of the loss's gradient")
left.legend()
plt.show()


def input_to_output_ratio(norms):
    """The mean gradient norm of convolutions 2 to 6 as a multiple of that of the last five."""
    return norms[1:6].mean() / norms[-5:].mean()


print(f"{'first / last five':20s}{'at the start':>16s}{'after training':>16s}")
ratios = {}
for kind, seed in itertools.product(KINDS, SEEDS):
    key = best_key(kind, 42, seed)
    ratios[kind, seed] = input_to_output_ratio(norms_at_start[key]), input_to_output_ratio(norms_after[key])
    print(f"{f'{kind}, seed {seed}':20s}{ratios[kind, seed][0]:16.2f}{ratios[kind, seed][1]:16.2f}")

# %% [markdown]
# On the left the plain network's gradients do not vanish on their way back, they grow: near the input
# they are about two hundred times as large as near the output, because batch norm and ReLU together
# multiply them by a little more than one in each layer (Yang et al. 2019). A single learning rate can
# hardly be right for all of these layers. In the residual network the first and the last layers differ
# by a factor of a few only.
#
# On the right, after training, the picture has turned. The growth has gone, and now the first convolution
# of the plain network gets a gradient that is several times smaller than that of the residual one,
# although its loss is still high. (On one processor it was 34, 6 and 39 times smaller on the three seeds,
# on another dozens of times on all three: rounding is enough to change how such a training ends.) So
# neither "they vanish" nor "they grow" is the whole story. What the shortcut gives is gradients of similar
# size in all layers, at the start and later.
#
# ## Second explanation: many short paths
#
# Multiplied out as on paper, the slope of twenty residual blocks is a sum over $2^{20}$ paths (the ReLUs
# after the sums close some of them), and half of all paths avoid any given block. Then it should do
# little harm to take a single block out of a trained network. In a plain network every block lies on the
# only path. We take out one block at a time, without further training, and compare at equal depth: 18
# layers, eight blocks, three seeds. (The norms use the statistics of the batch, because their running
# statistics were collected with all blocks in place.) Since the two kinds of network know different
# amounts, we ask which share of its knowledge each loses, where knowledge is the accuracy above the tenth
# that guessing reaches.


# %%
@torch.no_grad()
def accuracy_without(model, block=None):
    """Accuracy on 500 training images with one of the model's modules, counted from 0, taken out."""
    model = copy.deepcopy(model).train()  # a copy, because the running statistics change
    layers = [layer for i, layer in enumerate(model) if i != block]
    scores = nn.Sequential(*layers)(inputs[:500])  # (500, 1, 7, 7) -> (500, 10)
    return (scores.argmax(dim=1) == train_labels[:500]).double().mean().item()


whole = {}
shares_lost = {}
print(
    f"{'18 layers':20s}{'accuracy':>12s}{'median lost':>14s}{'largest lost':>14s}   (shares of the knowledge)"
)
for kind, seed in itertools.product(KINDS, SEEDS):
    model = trained[best_key(kind, 18, seed)]
    blocks = [i for i, layer in enumerate(model) if isinstance(layer, BasicBlock)]
    whole[kind, seed] = accuracy_without(model)
    without = np.array([accuracy_without(model, block) for block in blocks])  # (8,)
    shares_lost[kind, seed] = (whole[kind, seed] - without) / (whole[kind, seed] - 0.1)  # (8,)
    lost = shares_lost[kind, seed]
    print(f"{f'{kind}, seed {seed}':20s}{whole[kind, seed]:12.1%}{np.median(lost):14.0%}{lost.max():14.0%}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for kind, marker, color in (("plain", "o", "C0"), ("residual", "s", "C1")):
    for seed in SEEDS:
        label = kind if seed == 0 else None
        places = np.arange(1, 9) + (0.1 if kind == "residual" else -0.1)
        ax.plot(places, shares_lost[kind, seed], marker, color=color, markersize=5, label=label)
ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set(
    xlabel="block taken out",
    ylabel="share of the knowledge lost",
    title="One block less (18 layers, three seeds)",
)
ax.legend()
plt.show()

# %% [markdown]
# Every residual network loses a few hundredths of its knowledge with a typical block, and every plain one
# more than a third. The exception is the first block of the residual networks, which on average over the
# seeds costs more than any other. How much it costs differs: on six seeds it was from a seventh to a half,
# and on one of them the last block cost a little more. Perhaps the later blocks build on what the first one
# adds (we have not measured this). The rest fits the idea of many short paths. It would also fit if most
# residual branches were small, which Veit and his colleagues give as a part of the explanation.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
for rate in RATES:
    shallow = last_losses["plain", 6, rate, 0]
    assert last_losses["plain", 42, rate, 0] > shallow + 0.3, "at every rate the deep plain network is worse"
for depth in (18, 42):
    assert table["plain", depth].min() > table["plain", 10].max() + 0.1, (
        "plain: worse than 10 layers on every seed"
    )
    assert table["residual", depth].max() < table["plain", depth].min() - 0.2, "the shortcut undoes the harm"
residual_means = [table["residual", depth].mean() for depth in DEPTHS]
assert max(residual_means) - min(residual_means) < 0.15, "the residual curve is flat: depth is hardly a gain"
for depth in (6, 10):
    assert abs(table["plain", depth].mean() - table["residual", depth].mean()) < 0.15, (
        "shallow: both kinds are alike"
    )
times_smaller = []
for seed in SEEDS:
    assert ratios["plain", seed][0] > 50, "at the start the plain gradients grow towards the input"
    assert max(ratios["residual", seed]) < 10, (
        "the residual gradients are far more alike, at the start and later"
    )
    plain_first = norms_after[best_key("plain", 42, seed)][0]
    residual_first = norms_after[best_key("residual", 42, seed)][0]
    times_smaller.append(residual_first / plain_first)
    assert times_smaller[-1] > 1, "after training the first plain layer gets the smaller gradient"
    lost_plain, lost_residual = shares_lost["plain", seed], shares_lost["residual", seed]
    assert np.median(lost_plain) > 1 / 3, "one block less costs the plain network the larger share"
    assert np.median(lost_residual) < 0.15, "one block less costs the residual network a small share"
assert np.median(times_smaller) > 3, "several times smaller, on the seed in the middle"
average_lost = np.mean([shares_lost["residual", seed] for seed in SEEDS], axis=0)  # (3, 8) -> (8,)
assert average_lost.argmax() == 0, "the first block of a residual network is the exception on average"

# %% [markdown]
# ## Going further
#
# Three parts of real ResNets that the experiment above did not need: the block of the deepest ones, a
# shortcut without weights, and a better start. Lesson 9.7 trains a network with projections.
#
# ### The bottleneck
#
# Deep ResNets are wide, and $3\times3$ convolutions on many channels are expensive. A *bottleneck*
# narrows the channels to a quarter with a $1\times1$ convolution, works there, and widens them again.
# What does it save?


# %%
class Bottleneck(BasicBlock):
    """relu(f(x) + x) with f of 1 × 1, 3 × 3, 1 × 1: n_in to width to 4 · width channels; fig. 5, right."""

    def __init__(self, n_in, width, stride=1):
        super().__init__(n_in, 4 * width, stride)  # for the projection
        n_out = 4 * width
        self.conv1 = conv(n_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, n_out, 1)
        self.bn3 = nn.BatchNorm2d(n_out)

    def branch(self, x):
        h = F.relu(self.bn1(self.conv1(x)))  # (B, n_in, H, W) -> (B, width, H, W)
        h = F.relu(self.bn2(self.conv2(h)))  # -> (B, width, H / stride, W / stride)
        return self.bn3(self.conv3(h))  # -> (B, 4 width, H / stride, W / stride)


for name, block in (("basic, 64", BasicBlock(64, 64)), ("basic, 256", BasicBlock(256, 256))):
    print(f"{name + ' channels':28s}{count(block):>10,} parameters")
print(f"{'bottleneck, 256 channels':28s}{count(Bottleneck(256, 64)):>10,} parameters")
for n_in, width, stride in ((32, 8, 1), (8, 16, 2)):
    library = resnet.Bottleneck(n_in, width, stride, projection(n_in, 4 * width, stride)).double()
    x = torch.randn(3, n_in, 7, 5, dtype=torch.float64)
    assert largest_difference(Bottleneck(n_in, width, stride).double(), library, x) < 1e-9

# %% [markdown]
# On 256 channels it has as many parameters as a basic block on 64, and it agrees with torchvision's.
#
# ### A shortcut without weights
#
# At a border where the shape changes, the paper also tried a shortcut that drops pixels and fills the
# missing channels with zeros. It costs nothing, and was only a little worse than a projection.


# %%
def padded_shortcut(x, n_out, stride):
    """Option A of the paper: every stride-th pixel, and zeros for the channels that are missing.

    x: (B, C, H, W) -> (B, n_out, H / stride, W / stride); raises ValueError if n_out is below C.
    """
    x = x[:, :, ::stride, ::stride]  # (B, C, H, W) -> (B, C, H / stride, W / stride)
    if n_out < x.shape[1]:
        raise ValueError(f"cannot pad {tuple(x.shape)} to {n_out} channels")
    return F.pad(x, (0, 0, 0, 0, 0, n_out - x.shape[1]))  # zeros behind the last channel


x = torch.rand(1, 12, 14, 14)
assert padded_shortcut(x, 24, 2).shape == BasicBlock(12, 24, stride=2)(x).shape == (1, 24, 7, 7)

# %% [markdown]
# ### A start from the identity
#
# With a shortcut, a block whose branch is zero passes its input on. So one can set the scale of each
# block's last norm to zero (Goyal et al. 2017): then a network of 42 layers starts exactly as its first
# convolution and its last layer. But a scale of zero also multiplies the gradients of all that stands
# before it. Can such a network learn at all?


# %%
def zero_last_norms(model):
    """Let every basic block of `model` start as the identity, in place."""
    for block in model:
        if isinstance(block, BasicBlock):
            nn.init.zeros_(block.bn2.weight)


torch.manual_seed(0)
model = network(42, BasicBlock)
zero_last_norms(model)
x = inputs[:32]
ends = [layer for layer in model if not isinstance(layer, BasicBlock)]
with torch.no_grad():
    torch.testing.assert_close(model(x), nn.Sequential(*ends)(x), rtol=0, atol=0)

n_awake = []
for step in range(2):
    model.zero_grad()
    F.cross_entropy(model(x), train_labels[:32]).backward()
    blocks = [layer for layer in model if isinstance(layer, BasicBlock)]
    n_awake.append(sum(bool(block.conv1.weight.grad.any()) for block in blocks))
    n_scales = sum(bool(block.bn2.weight.grad.any()) for block in blocks)
    print(f"step {step}: a gradient reaches {n_scales} last scales and {n_awake[-1]} first convolutions")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.05 * parameter.grad

# %% [markdown]
# In the first step only the last scales learn. They move away from zero, and from the second step on the
# rest of each branch gets gradients, too.

# %%
assert 0.9 < count(Bottleneck(256, 64)) / count(BasicBlock(64, 64)) < 1, (
    "four times the width for the same price"
)
assert count(BasicBlock(256, 256)) > 15 * count(Bottleneck(256, 64)), (
    "a basic block of that width costs far more"
)
assert n_awake == [0, 20], "zeroed branches get gradients from the second step on"

# %% [markdown]
# ## What to remember
#
# - A residual block computes $\operatorname{ReLU}(f(x) + x)$, and its branch $f$ has to learn only the
#   change. If the shape changes, the shortcut is a projection.
# - Plain networks get worse with depth, in the training loss and at every rate that we tried. This is
#   degradation, and a shortcut undoes it. In these small networks it hardly makes the deep ones better
#   than the shallow ones.
# - With batch norm the gradients of a deep plain network grow towards the input at the start. In a
#   residual network they have similar sizes in all layers, at the start and later.
# - Take a block out of a residual network, and it loses little; take one out of a plain network, and it
#   loses much.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Give the plain block half a shortcut, `F.relu(self.branch(x) + 0.5 * x)`, and set `DEPTHS = (42,)`.
#    Twenty halves multiply to a millionth. Will the losses in the first table be nearer to those of the
#    plain or of the residual network?
# 2. In the cell that prints the parameters of two blocks, add a third shape, `(12, 12, 2)`. Does its
#    shortcut need a projection, and how many parameters has the block?
# 3. From a blank cell after the one that defines `gradient_norms`: replace every norm of a plain network
#    of 42 layers by `nn.Identity()`, and compare the gradient norms of convolutions 2 to 6 with those of
#    the last five, once with He initialization and once with PyTorch's own (`reset_parameters`). In which
#    of the two do the gradients vanish?
#
# ## Sources
#
# - K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, sections
#   1, 3 and 4.1. Reproduced: "at every rate the deep plain network is worse".
# - A. Veit, M. Wilber, S. Belongie, "Residual networks behave like ensembles of relatively shallow
#   networks", NeurIPS 2016, section 4.1. Reproduced: "one block less costs the plain network the larger
#   share".
# - P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 5.1: the
#   last norm at zero. Reproduced: "zeroed branches get gradients from the second step on".
# - G. Yang et al., "A mean field theory of batch normalization", ICLR 2019: why gradients grow with it at
#   the start. Reproduced: "at the start the plain gradients grow towards the input".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST: a novel image dataset for benchmarking machine
#   learning algorithms_, 2017.
