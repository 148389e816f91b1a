# %% [markdown]
# # 9.4 Residual blocks: learn what to change, and let the rest pass
#
# Forty editors rewrite a text one after the other, each from the last one's copy. If everyone must write
# the whole page anew, little of the original survives, even where each is careful. If everyone gets the
# page and may only note corrections in the margin, forty do no harm. A *residual block* is such a margin.
#
# **You will build** the basic block and the bottleneck, see depth spoil plain networks and not residual
# ones, and look at three explanations with a ruler. **You need** batch normalization (8.3), convolution
# (9.1) and the plan of ResNet (9.3). **It takes** about a minute.

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
# Three layers with the slopes $0.1$, $0.2$ and $0.5$. Stacked, their slope is the product, $0.01$. Let
# each *add* its output to its input, $y = x + f(x)$, and its slope becomes $1 + f'$: together $1.1 \cdot
# 1.2 \cdot 1.5 = 1.98$. Multiply it out and there are eight terms, one for each choice of layers to go
# through: the straight way, $1$, three ways through one layer, three through two, and one through all. The
# deep way is still there. It is no longer the only one.

# %%
slopes = (0.1, 0.2, 0.5)
plain, residual = math.prod(slopes), math.prod(1 + slope for slope in slopes)
print(f"plain {plain:.2f}   residual {residual:.2f}")
through = [
    sum(map(math.prod, itertools.combinations(slopes, n_layers))) for n_layers in range(len(slopes) + 1)
]
print("ways through 0, 1, 2, 3 layers: " + ", ".join(f"{value:.2f}" for value in through))
assert math.isclose(plain, 0.01) and math.isclose(residual, 1.98)
assert math.isclose(sum(through), residual)

# %% [markdown]
# ## The basic block
#
# Two convolutions with their norms form the *branch* $f$. The *shortcut* carries $x$ past it, and a ReLU
# follows the sum (read $\circ$ as "after"):
#
# $$y = \operatorname{ReLU}(x + f(x)), \qquad
#   f = \text{norm} \circ \text{conv} \circ \operatorname{ReLU} \circ \text{norm} \circ \text{conv} .$$
#
# The switch `residual` cuts the shortcut. It costs no parameter, so both kinds can be compared fairly.


# %%
def conv(n_in, n_out, size, stride=1):
    """A convolution that keeps the sides at stride 1; no bias, because a norm follows."""
    return nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    """relu(x + f(x)) of two 3 × 3 convolutions, or relu(f(x)); He et al. 2015, figure 5, left.

    x: (B, n_in, H, W) -> (B, n_out, H / stride, W / stride). Where shapes differ, the shortcut is a
    projection: a 1 × 1 convolution with the stride, and a norm.
    """

    def __init__(self, n_in, n_out, stride=1, residual=True):
        super().__init__()
        self.conv1, self.bn1 = conv(n_in, n_out, 3, stride), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = conv(n_out, n_out, 3), nn.BatchNorm2d(n_out)
        self.residual, self.downsample = residual, None
        if residual and (stride != 1 or n_in != n_out):
            self.downsample = nn.Sequential(conv(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))

    def shortcut(self, x):
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return F.relu(h + self.shortcut(x) if self.residual else h)


# %% [markdown]
# ## The bottleneck
#
# Deep ResNets are wide, and $3\times3$ on many channels is expensive. The *bottleneck* narrows by a
# $1\times1$, works there, and widens again. With four times the channels in and out it costs about what a
# basic block on the narrow width does.


# %%
class Bottleneck(nn.Module):
    """relu(x + f(x)) with f of 1 × 1, 3 × 3, 1 × 1: n_in channels to `width` to 4 · width; fig. 5, right."""

    def __init__(self, n_in, width, stride=1):
        super().__init__()
        n_out = 4 * width
        self.conv1, self.bn1 = conv(n_in, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, n_out, 1), nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(conv(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


def count(module):
    """How many parameters a module has."""
    return sum(parameter.numel() for parameter in module.parameters())


print(f"basic block, 64 channels {count(BasicBlock(64, 64)):,}")
print(f"basic block, 256 channels {count(BasicBlock(256, 256)):,}")
print(f"bottleneck, 256 channels {count(Bottleneck(256, 64)):,}")
assert 0.9 < count(Bottleneck(256, 64)) / count(BasicBlock(64, 64)) < 1
assert count(BasicBlock(256, 256)) > 15 * count(Bottleneck(256, 64))

# %% [markdown]
# ## The same in PyTorch
#
# Torchvision's blocks have the same names inside, so their weights fit. We copy them and compare outputs,
# gradients and running statistics in float64 and training mode: with the shortcut as it is, and with a
# projection.

# %%
torch.manual_seed(0)
largest = 0.0
for (ours, theirs), (n_in, width, stride) in itertools.product(
    ((BasicBlock, resnet.BasicBlock), (Bottleneck, resnet.Bottleneck)), ((8, 8, 1), (32, 8, 1), (8, 16, 2))
):
    mine = ours(n_in, width, stride).double()
    n_out = width * theirs.expansion
    projection = None
    if stride != 1 or n_in != n_out:
        projection = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
    library = theirs(n_in, width, stride, projection).double()
    for parameter in library.parameters():
        nn.init.normal_(parameter, std=0.5)
    mine.load_state_dict(library.state_dict())
    x = torch.randn(3, n_in, 7, 5, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = mine(a), library(b)
    cotangent = torch.randn_like(out)
    (out * cotangent).sum().backward()
    (expected * cotangent).sum().backward()
    pairs = [(out, expected), (a.grad, b.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(mine.parameters(), library.parameters(), strict=True)]
    pairs += list(zip(mine.buffers(), library.buffers(), strict=True))
    largest = max([largest] + [(p - q).abs().max().item() for p, q in pairs])
print(f"largest difference: {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# ## Where shapes change
#
# A shortcut can only add what has the same shape. At a stage's border the paper tries two: drop pixels and
# fill up with channels of zeros, which costs nothing, or a *projection*, which adds parameters. So a
# network with projections is a little larger than its plain twin. Below we keep one width throughout and
# avoid the question.


# %%
def padded_shortcut(x, n_out, stride):
    """Option A of the paper: every stride-th pixel, and zeros for the channels that are missing.

    x: (B, C, H, W) -> (B, n_out, H / stride, W / stride); raises ValueError where n_out is below C.
    """
    x = x[:, :, ::stride, ::stride]  # (B, C, H, W) -> (B, C, H / stride, W / stride)
    if n_out < x.shape[1]:
        raise ValueError(f"cannot pad {tuple(x.shape)} to {n_out} channels")
    return F.pad(x, (0, 0, 0, 0, 0, n_out - x.shape[1]))


x = torch.rand(1, 12, 14, 14)
block = BasicBlock(12, 24, stride=2)
assert padded_shortcut(x, 24, 2).shape == block(x).shape == (1, 24, 7, 7)
extra = count(block) - count(BasicBlock(12, 24, stride=2, residual=False))
print(f"the projection from 12 to 24 channels adds {extra} parameters to {count(block) - extra}")
assert extra == 12 * 24 + 2 * 24

# %% [markdown]
# ## Does depth hurt?
#
# A deeper network can do all that a shallower one can: its extra layers need only pass their input on. So
# its training loss should be no higher. Kaiming He and his colleagues found that it is higher: the
# *degradation problem*. It is not overfitting, which would show on held-out data only.
#
# We repeat it in small: images of clothes shrunk to $14\times14$, twelve channels all the way, batch
# normalization after every convolution. A depth of 42 is one convolution, twenty blocks of two, and the
# linear layer.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
train_inputs = F.avg_pool2d(train_images[:, None], 2)  # (5000, 28, 28) -> (5000, 1, 14, 14)
train_inputs = (train_inputs - train_inputs.mean()) / train_inputs.std()


def network(depth, residual, channels=12):
    """(B, 1, H, W) -> scores (B, 10) through `depth` layers with weights, all of one width."""
    blocks = [BasicBlock(channels, channels, residual=residual) for _ in range((depth - 2) // 2)]
    stem = conv(1, channels, 3), nn.BatchNorm2d(channels), nn.ReLU()
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    # the same numbers in another order in memory: all channels of a pixel beside each other
    return model.to(memory_format=torch.channels_last)


assert count(network(42, True)) == count(network(42, False))

# %% [markdown]
# Momentum, one rate for all, and short training. Every network meets the same batches in the same order.
# The loss we compare is the mean over the last steps, each taken before the network learned from its
# batch.

# %%
n_steps, batch_size = 70, 32


def train(model, seed):
    """Train in place on random batches; returns the training loss at every step (nats)."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(n_steps):
        batch = torch.randint(len(train_inputs), (batch_size,), generator=generator)
        loss = F.cross_entropy(model(train_inputs[batch]), train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# Three starts of the shallow plain network, the deep plain one and the deep residual one; of the plain
# depth between them one start. We keep the gradients, too: the norm of $\partial L / \partial W$ for every
# convolution, from one batch, before and after training.


# %%
def gradient_norms(model):
    """The norm of the loss's gradient in each convolution's weight, first to last: (n_layers,)."""
    model = copy.deepcopy(model)  # so that neither gradients nor running statistics change
    F.cross_entropy(model(train_inputs[:64]), train_labels[:64]).backward()
    return np.array([m.weight.grad.norm().item() for m in model.modules() if isinstance(m, nn.Conv2d)])


runs = [(depth, kind, seed) for seed in range(3) for depth, kind in ((6, 0), (42, 0), (42, 1))]
runs += [(18, 0, 0)]
curves, late, trained, norms = {}, {}, {}, {}
print(f"{'':20s}{'last loss':>12s}{'seed':>12s}")
for depth, residual, seed in runs:
    name = f"{'residual' if residual else 'plain'}, {depth}"
    torch.manual_seed(seed)
    model = network(depth, bool(residual))
    norms[name, seed, "before"] = gradient_norms(model)
    curves[name, seed] = train(model, seed)
    norms[name, seed, "after"] = gradient_norms(model)
    trained[name, seed], late[name, seed] = model, np.mean(curves[name, seed][-20:])
    print(f"{name:20s}{late[name, seed]:12.3f}{seed:12d}")

# %% [markdown]
# For every start the deep plain network ends above the shallow one, on the very data it trains on. With
# shortcuts, the same depth with the same parameters ends far below it, and below the shallow network, too.

# %%
for seed in range(3):
    assert late["plain, 42", seed] > 1.1 * late["plain, 6", seed]
    assert late["residual, 42", seed] < 0.8 * late["plain, 42", seed]
    assert late["residual, 42", seed] < 0.95 * late["plain, 6", seed]
assert late["residual, 42", 0] < late["plain, 18", 0] < late["plain, 42", 0]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
names = ("plain, 6", "plain, 18", "plain, 42", "residual, 42")
for name, color, style in zip(names, ("C0", "C1", "C2", "C3"), ("-", "--", "-.", ":")):
    smooth = np.convolve(curves[name, 0], np.full(10, 0.1), mode="valid")
    left.plot(np.arange(5, 5 + len(smooth)), smooth, style, color=color, label=name)
left.axhline(math.log(10), color="0.7", linewidth=0.8, zorder=0)  # the loss of knowing nothing
left.set(xlabel="step", ylabel="training loss (nats), mean of ten steps")
left.set_title("42 layers: last without shortcuts, first with them")
left.legend(loc="lower left")
names = ("plain, 6", "plain, 42", "residual, 42")
for seed, marker in zip(range(3), "o^s"):
    right.plot(
        names, [late[name, seed] for name in names], marker + "-", color=f"C{seed}", label=f"seed {seed}"
    )
right.set(
    ylabel="training loss at the end (nats)", title="For every start, the shortcut turns depth into a gain"
)
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# ## Explanation 1: do gradients vanish?
#
# The usual story says so. With batch normalization after each convolution they do not: in the deep plain
# network, before training, they *grow* on their way back to the input. ReLU and norm together multiply the
# gradient by a little over one at every layer. One rate cannot be right for all of them. In the residual
# network what the layers hear is far more alike. Training flattens the slope, and yet the plain network's
# loss stays high.

# %%
spread = {key: values[1:].max() / values[1:].min() for key, values in norms.items()}  # without the stem
print(f"{'largest / smallest':20s}{'before':>12s}{'after':>12s}")
for name in ("plain, 6", "plain, 42", "residual, 42"):
    print(f"{name:20s}{spread[name, 0, 'before']:12.1f}{spread[name, 0, 'after']:12.1f}")
for seed in range(3):
    plain_norms = norms["plain, 42", seed, "before"]
    assert plain_norms[1:6].mean() > 20 * plain_norms[-5:].mean()
    assert spread["residual, 42", seed, "before"] < 20 < 50 < spread["plain, 42", seed, "before"]
assert spread["plain, 42", 0, "after"] < spread["plain, 42", 0, "before"] / 10

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, when in ((left, "before"), (right, "after")):
    for name, color, style in (("plain, 42", "C0", "-"), ("residual, 42", "C1", "--")):
        values = norms[name, 0, when]
        ax.semilogy(np.arange(1, len(values) + 1), values, style, color=color, label=name)
    ax.set(xlabel="convolution, from the input")
left.set(ylabel="norm of the loss's gradient", title="Before training: grows towards the input")
right.set(title="After training: the plain network's slope is gone")
left.legend()
plt.show()

# %% [markdown]
# ## Explanation 2: many short networks
#
# Multiplied out as on paper, the slope of twenty residual blocks is a sum over $2^{20}$ ways (the ReLUs
# behind the sums only close some of them), and half of the ways avoid any given block. Then losing one
# block should hurt little. In a plain network every block is on the only way. We take one block out at a
# time, from the deep residual network and from the plain one of 18 layers, which learned enough to have
# something to lose. (The norms use the batch's own statistics: what arrives behind the gap is not what
# their averages were collected on.)


# %%
def accuracy_without(model, block=None):
    """Accuracy on a hundred training images, with one of the model's modules taken out."""
    layers = [layer for i, layer in enumerate(copy.deepcopy(model)) if i != block]
    with torch.no_grad():
        scores = nn.Sequential(*layers)(train_inputs[:100])
    return (scores.argmax(dim=1) == train_labels[:100]).double().mean().item()


whole, without = {}, {}
print(f"{'':20s}{'whole':>12s}{'median less':>12s}{'worst':>12s}")
for name in ("plain, 18", "residual, 42"):
    model = trained[name, 0]
    whole[name] = accuracy_without(model)
    blocks = [i for i, layer in enumerate(model) if isinstance(layer, BasicBlock)]
    without[name] = np.array([accuracy_without(model, i) for i in blocks])
    print(f"{name:20s}{whole[name]:12.1%}{np.median(without[name]):12.1%}{without[name].min():12.1%}")

# %% [markdown]
# The two networks know different amounts, so we ask what share of its knowledge each loses. Knowledge is
# the accuracy above that of guessing, which is right one time in ten.

# %%
share_lost = {name: (whole[name] - np.median(without[name])) / (whole[name] - 0.1) for name in whole}
print("share lost with one block, median: " + ", ".join(f"{k} {v:.0%}" for k, v in share_lost.items()))
assert share_lost["residual, 42"] < 0.15 < share_lost["plain, 18"]

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, color, marker, style in (("plain, 18", "C0", "o", "-"), ("residual, 42", "C1", "^", "--")):
    ax.plot(np.arange(1, len(without[name]) + 1), without[name], marker, color=color, label=name)
    ax.axhline(whole[name], color=color, linestyle=style, linewidth=0.8)
ax.set(
    xlabel="block taken out", ylabel="accuracy (line: nothing taken out)", ylim=(0, 1), xticks=range(1, 21, 3)
)
ax.set_title("One block less costs the plain network the larger share")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# ## Explanation 3: start from nothing
#
# A block that should pass its input on needs $f = 0$. Without a shortcut it would have to learn the
# identity from two convolutions; with one, zero weights suffice. That suggests a start: set the scale of
# each block's *last norm* to zero. The deep network then starts as a shallow one, its stem and its last
# layer, exactly. (Every block's input comes out of a ReLU, so the ReLU behind the sum changes nothing.)


# %%
def zero_last_norms(model):
    """Let every basic block of `model` start as the identity, in place; Goyal et al. 2017, section 5.1."""
    for block in model:
        if isinstance(block, BasicBlock):
            nn.init.zeros_(block.bn2.weight)


torch.manual_seed(0)
model = network(42, residual=True)
zero_last_norms(model)
x = train_inputs[:32]
ends = [layer for layer in model if not isinstance(layer, BasicBlock)]
with torch.no_grad():
    torch.testing.assert_close(model(x), nn.Sequential(*ends)(x), rtol=0, atol=0)

# %% [markdown]
# At first, inside the branches, only the last norms get a gradient: what stands before them is multiplied
# by a scale of zero. The scales move, and with the second step the rest awakes.

# %%
awake = []
for step in range(2):
    for parameter in model.parameters():
        parameter.grad = None
    F.cross_entropy(model(x), train_labels[:32]).backward()
    blocks = [layer for layer in model if isinstance(layer, BasicBlock)]
    awake.append(sum(bool(block.conv1.weight.grad.any()) for block in blocks))
    scales = sum(bool(block.bn2.weight.grad.any()) for block in blocks)
    print(f"step {step}   scales with a gradient {scales}   first convolutions with a gradient {awake[-1]}")
    assert scales == len(blocks)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.05 * parameter.grad
assert awake == [0, 20]

# %% [markdown]
# None of the three is the whole reason. Level gradients, short ways and an identity within easy reach come
# together, and what they add up to is the pair of panels under "Does depth hurt?".
#
# ## What to remember
#
# - A residual block learns what to change: $y = x + f(x)$, and the identity is $f = 0$.
# - Plain networks get worse with depth on their own training data: that is degradation, not overfitting.
# - With batch normalization the deep plain network's gradients do not vanish, they grow towards the input.
# - A residual network is many short ways; take one block out and most remain.
# - Identity shortcuts are free. Projections, where shapes change, add parameters.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Train the deep plain network with a tenth of the rate. Is depth still worse?
# 2. Take *two* blocks out of the residual network, then five.
# 3. Train `network(42, True)` after `zero_last_norms`. Does it learn faster at our size?
#
# ## Sources
#
# - K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015, sections 1, 3
#   and 4.1. Their networks are wider, their images larger, and they train for days.
# - A. Veit, M. Wilber, S. Belongie, "Residual networks behave like ensembles of relatively shallow
#   networks", 2016, section 4.1: single layers taken out.
# - P. Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1: the last norm at zero.
# - G. Yang et al., "A mean field theory of batch normalization", 2019: why gradients grow with it.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the images.
