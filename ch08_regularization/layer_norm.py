# %% [markdown]
# # 8.4 Layer norm: a yardstick of one's own
#
# Some exams are marked on a curve: what counts is how you did against the others in the room. Sit such an
# exam with one other person, and your mark only says which of you was better. Batch norm marks on a curve.
# *Layer norm* compares your answers with your own other answers, and does not care who else is in the
# room.
#
# **You will build** one function that is five norms, and layer norm out of it, forward and backward; sweep
# the batch size until batch norm breaks; and find padding that leaks into an answer. **You need** batch
# norm (8.3).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# ## On paper first
#
# Two examples, four units: $(1, 1, 5, 5)$ and $(10, 10, 50, 50)$. Batch norm goes down the columns. In
# each, the first value is the smaller one of two, so the first example becomes $(-1, -1, -1, -1)$ and the
# second $(1, 1, 1, 1)$: the pattern is gone. Layer norm goes along the rows. The first has mean $3$ and
# deviation $2$, the second mean $30$ and deviation $20$, and both become $(-1, -1, 1, 1)$: the pattern
# stays, and how loud it was is gone.

# %%
x = np.array([[1.0, 1, 5, 5], [10, 10, 50, 50]])  # (2, 4)
down = (x - x.mean(axis=0)) / x.std(axis=0)
along = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
print("down the columns (batch)", down.tolist())
print("along the rows (layer)  ", along.tolist())
assert np.array_equal(down, [[-1] * 4, [1] * 4]) and np.array_equal(along, [[-1, -1, 1, 1]] * 2)

# %% [markdown]
# ## From scratch: one function, any axes
#
# The formula is the one of lesson 8.3. All that changes is which values the averages
# $\langle\cdot\rangle$ run over, so that becomes an argument:
#
# $$\hat x = \frac{x - \langle x \rangle}{\sqrt{\langle (x - \langle x \rangle)^2 \rangle + \varepsilon}},
#   \qquad \frac{\partial L}{\partial x} = \frac{\hat g - \langle \hat g \rangle -
#   \hat x\, \langle \hat g\, \hat x \rangle}
#   {\sqrt{\langle (x - \langle x \rangle)^2 \rangle + \varepsilon}},
#   \qquad \hat g = \frac{\partial L}{\partial \hat x} .$$
#
# Leave out the means of $x$ and of $\hat g$, and it is *RMS norm*, for root mean square: it sets the size
# and not the place.


# %%
def standardise(x, axes, eps=1e-5, centre=True):
    """x with mean 0 and mean square 1 over `axes`, and what backward needs; no mean without `centre`."""
    x_hat = x - x.mean(axis=axes, keepdims=True) if centre else x.copy()
    scale = 1 / np.sqrt(np.square(x_hat).mean(axis=axes, keepdims=True) + eps)
    x_hat *= scale
    return x_hat, (x_hat, scale)


def standardise_backward(grad, cache, axes, centre=True):
    """Gradient at the input of `standardise`, from the one at its output."""
    x_hat, scale = cache
    x_grad = x_hat * -(grad * x_hat).mean(axis=axes, keepdims=True)
    x_grad += grad
    if centre:
        x_grad -= grad.mean(axis=axes, keepdims=True)
    x_grad *= scale
    return x_grad


# %% [markdown]
# Layer norm takes the axis of the units, the last one. Gain $\gamma$ and shift $\beta$ are one number a
# unit, as before. But now they differ *inside* the average, so the gain must meet the gradient before the
# averages do: $\hat g = \gamma\, g$.


# %%
def layer_norm(x, weight, bias, eps=1e-5):
    """Layer norm of x (..., d), weight and bias (d,): the output and what backward needs (Ba et al. 2016).

    Raises ValueError where the gain or the shift does not have one number a unit.
    """
    if not weight.shape == bias.shape == x.shape[-1:]:
        raise ValueError(
            f"x {x.shape} needs {x.shape[-1:]} gains and shifts, got {weight.shape}, {bias.shape}"
        )
    x_hat, cache = standardise(x, -1, eps)
    out = x_hat * weight
    out += bias
    return out, (cache, weight)


def layer_norm_backward(out_grad, cache):
    """Gradients for x, weight and bias, from the one at the output and what `layer_norm` kept."""
    cache, weight = cache
    examples = tuple(range(out_grad.ndim - 1))
    weight_grad, bias_grad = (out_grad * cache[0]).sum(axis=examples), out_grad.sum(axis=examples)
    return standardise_backward(out_grad * weight, cache, -1), weight_grad, bias_grad


# %% [markdown]
# Central differences first: nudge every input, gain and shift, and see whether the output moves as the
# backward pass says.

# %%
x, cotangent = rng.normal(loc=2, size=(2, 3, 5))
weight, bias = rng.normal(size=(2, 5))
grads = layer_norm_backward(cotangent, layer_norm(x, weight, bias)[1])
nudge, worst = 1e-6, 0.0
for value, grad in zip((x, weight, bias), grads):
    for place in np.ndindex(value.shape):
        ends = []
        for sign in (1, -1):
            value[place] += sign * nudge
            ends.append((layer_norm(x, weight, bias)[0] * cotangent).sum())
            value[place] -= sign * nudge
        worst = max(worst, abs((ends[0] - ends[1]) / (2 * nudge) - grad[place]))
print(f"largest difference from central differences {worst:.1e}")
assert worst < 1e-7

# %% [markdown]
# ## Five norms, one cube
#
# Activations of images are a block: examples, channels, places. Every norm cuts it into groups that share
# a mean and a deviation. *Instance norm* takes one channel of one example, *group norm* a few channels of
# one example. RMS norm cuts like layer norm.

# %%
parts = {
    "batch norm": (slice(None), 0, slice(None)),
    "layer norm (and RMS)": (0, slice(None), slice(None)),
    "instance norm": (0, 0, slice(None)),
    "group norm, two groups": (0, slice(0, 2), slice(None)),
}
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", subplot_kw={"projection": "3d"})
for ax, (name, part) in zip(axes, parts.items()):
    together = np.zeros((4, 4, 4), bool)  # examples, channels, places
    together[part] = True
    colors = np.where(together, "C1", "#e8eef4")
    ax.voxels(np.ones((4, 4, 4), bool), facecolors=colors, edgecolor="0.4", linewidth=0.5)
    ax.set(title=f"{name}: {together.sum()} of 64", xticks=[], yticks=[], zticks=[])
    ax.set(xlabel="example", ylabel="channel", zlabel="place")
    ax.view_init(elev=24, azim=-125)
    ax.set_box_aspect(None, zoom=0.85)
fig.suptitle("Only batch norm crosses from one example to another")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# First layer norm: `nn.LayerNorm` with the same gain and shift, on a batch of sequences. Then the cube,
# where our one function must match five of PyTorch's, in values and in gradients. For group norm we give
# the groups an axis of their own.

# %%
torch_norm = nn.LayerNorm(5, dtype=torch.float64)
with torch.no_grad():
    torch_norm.weight.copy_(torch.from_numpy(weight))
    torch_norm.bias.copy_(torch.from_numpy(bias))
x, cotangent = rng.normal(loc=2, scale=3, size=(2, 4, 7, 5))
inputs = torch.from_numpy(x).requires_grad_()
torch_out = torch_norm(inputs)
theirs = torch.autograd.grad(
    torch_out, (inputs, torch_norm.weight, torch_norm.bias), torch.from_numpy(cotangent)
)
out, cache = layer_norm(x, weight, bias)
ours = out, *layer_norm_backward(cotangent, cache)
largest = max(np.abs(a - b.detach().numpy()).max() for a, b in zip(ours, (torch_out, *theirs)))
print(f"largest difference {largest:.1e}; what it saves: {list(torch_norm.state_dict())}")
assert largest < 1e-10 and list(torch_norm.state_dict()) == ["weight", "bias"]

# %%
shape = (3, 4, 5, 2)  # (N, C, H, W)
norms = {
    "batch": (shape, (0, 2, 3), True, lambda x: F.batch_norm(x, None, None, training=True)),
    "layer": (shape, (1, 2, 3), True, lambda x: F.layer_norm(x, x.shape[1:])),
    "instance": (shape, (2, 3), True, F.instance_norm),
    "group": ((3, 2, 2, 5, 2), (2, 3, 4), True, lambda x: F.group_norm(x, 2)),  # (N, G, C / G, H, W)
    "RMS": (shape, (1, 2, 3), False, lambda x: F.rms_norm(x, x.shape[1:], eps=1e-5)),
}
x, cotangent = rng.normal(loc=2, scale=3, size=(2, *shape))
differences = {}
for name, (cut, axes, centre, torch_function) in norms.items():
    inputs = torch.from_numpy(x).requires_grad_()
    torch_out = torch_function(inputs)
    (torch_grad,) = torch.autograd.grad(torch_out, inputs, torch.from_numpy(cotangent))
    out, cache = standardise(x.reshape(cut), axes, centre=centre)
    grad = standardise_backward(cotangent.reshape(cut), cache, axes, centre)
    pairs = (out, torch_out.detach()), (grad, torch_grad)
    differences[name] = max(np.abs(a.reshape(shape) - b.numpy()).max() for a, b in pairs)
    print(f"{name:20s}largest difference {differences[name]:.1e}")
    assert differences[name] < 1e-10

# %% [markdown]
# Layer norm keeps no running statistics: its `state_dict` holds gain and shift only, and training and eval
# mode are the same. With the company it has nothing to do, either. We give one example three rooms: seven
# others, seven louder others, nobody.

# %%
example, others = rng.normal(size=(1, 5)), rng.normal(size=(7, 5))
rooms = {"seven others": np.vstack([example, others]), "louder others": np.vstack([example, 9 * others])}
first = {}
for name, room in rooms.items():
    first["layer", name] = layer_norm(room, weight, bias)[0][0]
    first["batch", name] = standardise(room, 0)[0][0]
    print(
        f"{name:20s}layer norm {first['layer', name].round(2)}   batch norm {first['batch', name].round(2)}"
    )
alone = layer_norm(example, weight, bias)[0][0]
assert np.array_equal(first["layer", "seven others"], first["layer", "louder others"])
assert np.array_equal(first["layer", "seven others"], alone)
assert np.abs(first["batch", "seven others"] - first["batch", "louder others"]).max() > 0.1

# %% [markdown]
# ## A room that is too small
#
# Now the batch size, from one to sixty-four. The network, the thousand images and the number of epochs
# stay; the learning rate grows with the batch, and falls to zero in a straight line. Large batches leave
# few updates, so the right end of the picture is about that. The left end is what we want to see. (A batch
# of one is left out for batch norm, which refuses it.)


# %%
def clothes_network(norm, width=64):
    """Pixels to ten logits; `norm` makes a layer from a width (nn.BatchNorm1d or nn.LayerNorm)."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(784, width), norm(width), nn.ReLU()),
        *(nn.Linear(width, width), norm(width), nn.ReLU()),
        nn.Linear(width, 10),
    )


def trained(norm, batch_size, seed, n_train=1000, n_epochs=3, rate_per_16=0.1):
    """`clothes_network` after SGD, the learning rate proportional to batch_size and falling."""
    torch.manual_seed(seed)
    model, chosen = clothes_network(norm), torch.randperm(5000)[:n_train]
    x, y = train_images[chosen], train_labels[chosen]
    optimizer = torch.optim.SGD(model.parameters(), foreach=True)
    n_steps = n_epochs * (n_train // batch_size)
    batches = (b for _ in range(n_epochs) for b in torch.randperm(n_train).split(batch_size))
    batches = [batch for batch in batches if len(batch) == batch_size]
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = rate_per_16 * batch_size / 16 * (1 - step / n_steps)
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def error_rate(model, batch_size=1000):
    """Share of wrong answers on the test images, given to `model` so many at a time."""
    with torch.no_grad():
        answers = torch.cat([model(batch).argmax(dim=1) for batch in test_images.split(batch_size)])
    return (answers != test_labels).float().mean().item()


# %%
batch_sizes = (1, 2, 4, 8, 16, 32, 64)
batch = {size: trained(nn.BatchNorm1d, size, seed=0) for size in batch_sizes[1:]}
layer = {size: trained(nn.LayerNorm, size, seed=0) for size in batch_sizes}
in_pairs = error_rate(batch[2].train(), batch_size=2)  # company as in training
errors = {
    "batch norm": [np.nan, *(error_rate(model.eval()) for model in batch.values())],
    "layer norm": [error_rate(model.eval()) for model in layer.values()],
}
print(f"{'batch size':20s}" + "".join(f"{name:>12s}" for name in errors))
for size, *row in zip(batch_sizes, *errors.values()):
    print(f"{size:<20}" + "".join(f"{error:12.3f}" for error in row))
print(f"batch norm at two, tested in training mode, two at a time: {in_pairs:.3f}")

# %%
at = {name: dict(zip(batch_sizes, row)) for name, row in errors.items()}
assert at["batch norm"][2] > at["batch norm"][16] + 0.15 and in_pairs > at["batch norm"][2] - 0.05
assert np.ptp(errors["layer norm"][:5]) < 0.05 and at["batch norm"][16] < at["layer norm"][16]

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, row), style, color in zip(errors.items(), ("o--", "s-"), ("C0", "C1")):
    ax.plot(batch_sizes, row, style, color=color, label=name)
ax.set_xscale("log", base=2)
ax.set(xticks=batch_sizes, xticklabels=batch_sizes, xlabel="batch size", ylabel="test error", ylim=(0, None))
ax.set_title("In a batch of two, batch norm breaks and layer norm does not")
ax.legend()
plt.show()

# %% [markdown]
# At two, batch norm does what it did on paper: a unit only says which of the two images had more, and the
# second image becomes minus the first, before gain and shift. That eval mode then works with other
# statistics is not to blame: tested in pairs, as it was trained, the network errs no less. With sixteen
# together, batch norm is the *better* one here, which is why networks for images kept it. Layer norm is a
# replacement, no improvement.
#
# ## Padding leaks
#
# Names have different lengths. To put them into one array, the short ones are filled up, or *padded*, to
# the length of the longest. Each letter becomes a vector of eight numbers, padding becomes zeros. Batch
# norm averages over examples and positions, and so over the padding as well. How far does that move the
# letters, if some long name in the batch makes everybody pad more?

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
chosen = [names[place] for place in rng.choice(len(names), 32, replace=False)]
letters = rng.normal(loc=1, size=(27, 8))
letters[0] = 0  # what padding becomes


def padded(chosen, length):
    """Letter vectors (n, length, 8) of the names and where they are real, a mask (n, length)."""
    codes = np.zeros((len(chosen), length), int)
    for row, name in zip(codes, chosen):
        row[: len(name)] = [ord(letter) - 96 for letter in name]
    return letters[codes], codes > 0  # (27, 8)[(n, length)] -> (n, length, 8)


longest = max(map(len, chosen))
lengths, leaks = np.arange(longest, 41, 4), {"batch": [], "layer": []}
real = np.concatenate([letters[[ord(letter) - 96 for letter in name]] for name in chosen])  # (n_real, 8)
unpadded = {"batch": standardise(real, 0)[0], "layer": standardise(real, -1)[0]}
for length in lengths:
    vectors, mask = padded(chosen, length)
    for name, axes in (("batch", (0, 1)), ("layer", -1)):
        leaks[name].append(np.abs(standardise(vectors, axes)[0][mask] - unpadded[name]).mean())
last = {name: row[-1] for name, row in leaks.items()}
print(f"mean change of a letter: batch norm {last['batch']:.3f}, layer norm {last['layer']:.3f}")
assert max(leaks["layer"]) == 0 and leaks["batch"][0] > 0.1 and np.all(np.diff(leaks["batch"]) > 0)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.imshow(padded(chosen[:8], 24)[1], cmap="gray", vmin=-2, vmax=1, aspect="auto")
for row, name in enumerate(chosen[:8]):
    for column, letter in enumerate(name):
        left.text(column, row, letter, ha="center", va="center")
left.set(xlabel="position", yticks=range(8), ylabel="name", title="Grey is padding, not data")
right.plot(lengths, leaks["batch"], "o--", color="C0", label="batch norm")
right.plot(lengths, leaks["layer"], "s-", color="C1", label="layer norm (zero)")
right.set(xlabel="length everybody is padded to", ylabel="mean change of a letter's output")
right.set_title("Batch norm lets the padding leak into the letters")
right.legend()
plt.show()

# %% [markdown]
# ## Before or after? A look ahead
#
# The networks of chapters 9 and 12 are stacks of *residual* blocks: each adds something to what it
# received, $h + f(h)$. The norm can stand on the sum, $\operatorname{norm}(h + f(h))$, which is
# *post-norm*, or in front of the addition, $h + f(\operatorname{norm}(h))$, *pre-norm*. In pre-norm the
# plain $h$ runs from the first block to the last, untouched. Post-norm rescales everything at every block.
# We train twelve blocks on digits, at a small and at a large learning rate.


# %%
class Stack(nn.Module):
    """Digits (n, 64) to ten logits through residual blocks, with the norm before or after each."""

    def __init__(self, pre, depth=12, width=64):
        super().__init__()
        self.pre = pre
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)) for _ in range(depth)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.last, self.head = nn.LayerNorm(width) if pre else nn.Identity(), nn.Linear(width, 10)
        for block in self.blocks:  # so that a block adds as much as it receives
            nn.init.normal_(block[0].weight, std=(2 / width) ** 0.5)
            nn.init.normal_(block[2].weight, std=(1 / width) ** 0.5)

    def forward(self, h):
        for block, norm in zip(self.blocks, self.norms):
            h = h + block(norm(h)) if self.pre else norm(h + block(h))
        return self.head(self.last(h))


# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
pixels = torch.from_numpy(digits[:, :64] / 16).float()  # (1797, 64)
answers = torch.from_numpy(digits[:, 64]).long()  # (1797,)


def train_stack(pre, learning_rate, seed, n_steps=100):
    """Losses of every step of Adam, and the accuracy on the digits from 1,000 on."""
    torch.manual_seed(seed)
    model, losses = Stack(pre), []
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, foreach=True)
    for _ in range(n_steps):
        batch = torch.randint(1000, (50,))
        loss = F.cross_entropy(model(pixels[batch]), answers[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        right = model(pixels[1000:]).argmax(dim=1) == answers[1000:]
    return losses, right.float().mean().item()


stacks = {(pre, rate): train_stack(pre, rate, seed=0) for pre in (False, True) for rate in (0.001, 0.01)}
print(f"{'learning rate':20s}{'post-norm':>12s}{'pre-norm':>12s}")
for rate in (0.001, 0.01):
    print(f"{rate:<20}{stacks[False, rate][1]:12.3f}{stacks[True, rate][1]:12.3f}")
assert stacks[False, 0.001][1] > 0.8 and stacks[True, 0.001][1] > 0.8
assert stacks[False, 0.01][1] < 0.3 and stacks[True, 0.01][1] > 0.75

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, rate in zip(axes, (0.001, 0.01)):
    for pre, style, color in ((False, "--", "C0"), (True, "-", "C1")):
        ax.plot(stacks[pre, rate][0], style, color=color, label="pre-norm" if pre else "post-norm")
    ax.set(xlabel="step", title=f"learning rate {rate}", ylim=(0, 3))
axes[0].set_ylabel("training loss (nats)")
axes[0].legend()
fig.suptitle("At a large rate only pre-norm trains")
plt.show()

# %% [markdown]
# The first Transformers were post-norm and needed a warm-up of the learning rate (7.3); most newer ones
# are pre-norm. Lesson 12.5 builds both.
#
# ## What to remember
#
# - Batch norm averages over examples, layer norm over the units of one example. The formula is the same.
# - So layer norm is the same for any batch size, with or without padding, in training and in eval mode.
# - The gain differs inside the average: in the backward pass it comes first.
# - Instance norm and group norm average over a part of one example; RMS norm does without the mean.
# - With enough examples a batch, batch norm may still be the better one.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Repeat the sweep with `nn.RMSNorm`. Was the mean worth having?
# 2. Train batch norm at a learning rate that does not depend on the batch size. Does two recover?
# 3. Compute batch norm's statistics over `mask` only. Is the leak closed? Whom does a name depend on now?
#
# ## Sources
#
# - J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.
# - Y. Wu, K. He, "Group normalization", ECCV 2018: the cube, and batch norm's error at small batches.
# - B. Zhang, R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.
# - R. Xiong and others, "On layer normalization in the Transformer architecture", ICML 2020: pre and post.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017; E. Alpaydin, C. Kaynak, UCI, 1998; first names
#   from stdlib, public domain: the data.
