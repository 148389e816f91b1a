# %% [markdown]
# # 8.4 Layer norm: mean and spread of one example, whatever its company
#
# Some exams are marked on a curve, so what counts is how you did against the others in the room. If you
# sit such an exam with one other person, your mark says only which of you was better. Batch norm (8.3)
# has the same weakness: it compares a unit's value for one example with the values for the other examples
# of the batch, and if these are few, or padding, or not there at all, the comparison means little. *Layer
# norm* compares the values of one example with each other instead. Large networks can often hold only a
# few examples at a time, and a program that writes a sentence has only one, which is why practically
# every language model uses layer norm or its close relative RMS norm (see "Going further").
#
# **You will build** layer norm forward and backward, and measure what happens to it and to batch norm when
# batches become small and when names of different lengths are padded. **You need** batch norm (8.3), its
# backward pass (6.4) and schedules (7.3). **It takes** about half a minute.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two examples have four units each, $(1, 1, 5, 5)$ and $(10, 10, 50, 50)$. Both norms subtract a mean and
# divide by a spread (the standard deviation). Batch norm takes them down the columns, over the two values
# of each unit, and layer norm along the rows, over the four values of each example:
#
# $$\begin{aligned}
#   \text{columns 1 and 2} \quad & (1, 10): \text{ mean } 5.5, \text{ spread } 4.5 \to (-1, 1) \\
#   \text{columns 3 and 4} \quad & (5, 50): \text{ mean } 27.5, \text{ spread } 22.5 \to (-1, 1) \\
#   \text{first row} \quad & (1, 1, 5, 5): \text{ mean } 3, \text{ spread } 2 \to (-1, -1, 1, 1) \\
#   \text{second row} \quad & (10, 10, 50, 50): \text{ mean } 30, \text{ spread } 20 \to (-1, -1, 1, 1)
# \end{aligned}$$
#
# After batch norm the first example is $(-1, -1, -1, -1)$ and the second one $(1, 1, 1, 1)$. So one still
# sees which of the two had more, and the pattern within each example is lost. After layer norm one still
# sees the pattern, and how large the values were is lost.

# %%
two_examples = np.array([[1.0, 1, 5, 5], [10, 10, 50, 50]])  # (2, 4)
down = (two_examples - two_examples.mean(axis=0)) / two_examples.std(axis=0)
along = (two_examples - two_examples.mean(axis=1, keepdims=True)) / two_examples.std(axis=1, keepdims=True)
print("down the columns (batch norm)", down.tolist())
print("along the rows (layer norm)  ", along.tolist())

# %% [markdown]
# ## From scratch
#
# The formula is batch norm's, with means over other values. For one example $x$ with $d$ units, a gain
# $\gamma$ and a shift $\beta$ for each unit:
#
# $$\mu = \frac1d \sum_j x_j, \qquad \sigma^2 = \frac1d \sum_j (x_j - \mu)^2, \qquad
#   \hat x_j = \frac{x_j - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \qquad y_j = \gamma_j \hat x_j + \beta_j .$$
#
# The first function leaves open over which axes the means run, so that it serves for both norms.


# %%
def standardise(x, axes, eps=1e-5):
    """x with mean 0 and variance 1 over `axes`, and the spread (same number of axes) it was divided by."""
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred * centred).mean(axis=axes, keepdims=True)
    spread = np.sqrt(variance + eps)
    return centred / spread, spread


def layer_norm(x, weight, bias, eps=1e-5):
    """Layer norm of x (..., d), weight (the gain) and bias (the shift) (d,), after Ba et al. 2016.

    Returns the output and a cache for `layer_norm_backward`, which refers to `weight`. Raises ValueError if
    there is not one gain and one shift for each unit.
    """
    if not weight.shape == bias.shape == x.shape[-1:]:
        raise ValueError(
            f"x {x.shape} needs {x.shape[-1:]} gains and shifts, got {weight.shape}, {bias.shape}"
        )
    x_hat, spread = standardise(x, -1, eps)
    return x_hat * weight + bias, (x_hat, spread, weight)


# %% [markdown]
# Backward, the path through mean and spread was derived for batch norm (6.4), and it is the same here:
#
# $$\hat g_j = \gamma_j \frac{\partial L}{\partial y_j}, \qquad
#   \frac{\partial L}{\partial x_j} = \frac{\hat g_j - \overline{\hat g} -
#   \hat x_j\, \overline{\hat g\, \hat x}}{\sqrt{\sigma^2 + \varepsilon}},$$
#
# where a bar is the mean over the $d$ units of the example. One thing is new. In batch norm all values
# under a bar belong to one unit and share its gain, so the gain may also be multiplied at the end. Here
# each value under the bar has another gain, so the gradient must be multiplied by it first.


# %%
def layer_norm_backward(grad_out, cache):
    """Gradients for x, weight and bias, given the one at the output and the cache of `layer_norm`."""
    x_hat, spread, weight = cache
    examples = tuple(range(grad_out.ndim - 1))  # all axes but the last
    grad_weight = (grad_out * x_hat).sum(axis=examples)  # (..., d) -> (d,)
    grad_bias = grad_out.sum(axis=examples)  # (..., d) -> (d,)
    grad_hat = grad_out * weight
    mean_grad = grad_hat.mean(axis=-1, keepdims=True)
    mean_product = (grad_hat * x_hat).mean(axis=-1, keepdims=True)
    grad_x = (grad_hat - mean_grad - x_hat * mean_product) / spread
    return grad_x, grad_weight, grad_bias


# %% [markdown]
# ## The same in PyTorch
#
# `nn.LayerNorm(d)` has the same gain and shift. We give both the same numbers, a batch of four sequences
# with seven positions of five units, and compare outputs and gradients.

# %%
sequences = rng.normal(loc=2, scale=3, size=(4, 7, 5))
cotangent = rng.normal(size=(4, 7, 5))  # the gradient that arrives at the output
gain = rng.normal(size=5)
offset = rng.normal(size=5)
torch_norm = nn.LayerNorm(5, dtype=torch.float64)
torch_norm.load_state_dict({"weight": torch.from_numpy(gain), "bias": torch.from_numpy(offset)})
torch_x = torch.from_numpy(sequences).requires_grad_()
torch_out = torch_norm(torch_x)
torch_out.backward(torch.from_numpy(cotangent))

out, cache = layer_norm(sequences, gain, offset)
grad_x, grad_weight, grad_bias = layer_norm_backward(cotangent, cache)
for name, ours, theirs in (
    ("output", out, torch_out.detach()),
    ("gradient of x", grad_x, torch_x.grad),
    ("gradient of gain", grad_weight, torch_norm.weight.grad),
    ("gradient of shift", grad_bias, torch_norm.bias.grad),
):
    print(f"{name:20s}largest difference {np.abs(ours - theirs.numpy()).max():.1e}")
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12)
print(f"what it saves: {list(torch_norm.state_dict())}")

# %% [markdown]
# All differences are rounding. The state dict (4.3) holds the gain and the shift and nothing else, because
# layer norm needs no running statistics, and so `train()` and `eval()` make no difference to it.
#
# ## One example in different batches
#
# The same example now comes in a batch with seven others, with seven louder others, and alone. Which norm
# will give it the same output each time?

# %%
example = rng.normal(size=(1, 5))
others = rng.normal(size=(7, 5))
batches = {
    "seven others": np.vstack([example, others]),  # (1, 5) over (7, 5) -> (8, 5)
    "seven louder": np.vstack([example, 9 * others]),
    "alone": example,
}
layer_outputs = {}
batch_outputs = {}
for name, batch in batches.items():
    along_rows, _ = standardise(batch, -1)
    down_columns, _ = standardise(batch, 0)
    layer_outputs[name] = along_rows[0]  # (5,): the example is the first row
    batch_outputs[name] = down_columns[0]
    print(f"{name:16s}layer norm {layer_outputs[name].round(2)}   batch norm {batch_outputs[name].round(2)}")

# %% [markdown]
# Layer norm gives the example the same five numbers in each batch. Batch norm gives it other numbers each
# time, and zeros if it is alone, because a single value minus its own mean is zero.
#
# ## Small batches
#
# Does it matter for training that batch norm depends on the batch? We train the same small network on
# 400 images of clothes with either norm and with batches of 2, 4 and 16, four seeds each. The number of
# epochs is held fixed. The learning rate is proportional to the batch size (7.8) and falls in a straight
# line. (At a batch size of 16 we tried rates of 0.03, 0.1 and 0.3 with 600 images, and all of them
# brought both norms to about the same validation error.) What would you expect at a batch size of 2,
# after the example on paper? The images fit into memory, and with batches of two a `DataLoader` would
# cost more than the step, so we index them.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    pictures = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    kinds = torch.from_numpy(archive["train_labels"]).long()  # (5000,)


def clothes_network(norm, width=64):
    """Images (n, 28, 28) to ten logits; `norm` makes a layer from a width (nn.BatchNorm1d, nn.LayerNorm)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, width),
        norm(width),
        nn.ReLU(),
        nn.Linear(width, width),
        norm(width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


@torch.no_grad()
def error_rate(model, images, labels, batch_size=2000):
    """Share of wrong answers, the images given to `model` in batches of this size, in its current mode."""
    n_wrong = 0
    for x, y in zip(images.split(batch_size), labels.split(batch_size)):
        n_wrong += (model(x).argmax(dim=1) != y).sum().item()
    return n_wrong / len(labels)


def train(norm, batch_size, seed, n_train=400, n_epochs=12, rate_at_16=0.1):
    """A trained `clothes_network`, and its error (n_epochs,) on the last 2,000 images of a shuffled 5,000.

    A last batch that is smaller than the others is left out. Raises ValueError unless
    batch_size <= n_train <= 3000.
    """
    if not batch_size <= n_train <= 3000:
        raise ValueError(f"needs batch_size <= n_train <= 3000, got {batch_size} and {n_train}")
    torch.manual_seed(seed)
    model = clothes_network(norm)
    order = torch.randperm(5000)
    x_train, y_train = pictures[order[:n_train]], kinds[order[:n_train]]
    x_valid, y_valid = pictures[order[3000:]], kinds[order[3000:]]
    optimizer = torch.optim.SGD(model.parameters(), lr=rate_at_16 * batch_size / 16)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=n_epochs)
    errors = []
    for _ in range(n_epochs):
        model.train()
        for rows in torch.randperm(n_train).split(batch_size):
            if len(rows) < batch_size:
                continue  # batch norm would fail for a last batch of one
            loss = F.cross_entropy(model(x_train[rows]), y_train[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        errors.append(error_rate(model, x_valid, y_valid))
    return model, errors


# %%
NORMS = {"batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}
BATCH_SIZES = (2, 4, 16)
N_SEEDS = 4
curves = {name: {} for name in NORMS}
models = {}
print(f"{'norm':12s}{'batch size':>12s}{'error':>12s}   (validation, each seed)")
for name, norm in NORMS.items():
    for batch_size in BATCH_SIZES:
        runs = [train(norm, batch_size, seed) for seed in range(N_SEEDS)]
        curves[name][batch_size] = np.array([errors for _, errors in runs])  # (N_SEEDS, n_epochs)
        models[name, batch_size] = [model for model, _ in runs]
        last = curves[name][batch_size][:, -1]
        each = "".join(f"{error:7.3f}" for error in last)
        print(f"{name:12s}{batch_size:12d}{last.mean():12.3f}   {each}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, by_size), style, color in zip(curves.items(), ("o--", "s-"), ("C0", "C1")):
    ends = [by_size[batch_size][:, -1] for batch_size in BATCH_SIZES]  # each (N_SEEDS,)
    left.plot(BATCH_SIZES, [end.mean() for end in ends], style, color=color, label=f"{name}, mean")
    for batch_size, end in zip(BATCH_SIZES, ends):
        left.plot([batch_size] * N_SEEDS, end, style[0], color=color, fillstyle="none", markersize=4)
    epochs = np.arange(1, by_size[BATCH_SIZES[-1]].shape[1] + 1)
    right.plot(epochs, by_size[BATCH_SIZES[-1]].mean(axis=0), style, color=color, label=name)
left.set_xscale("log", base=2)
left.set(xticks=BATCH_SIZES, xticklabels=BATCH_SIZES, xlabel="batch size", ylabel="validation error")
left.set(ylim=(0, None), title="At the end, four seeds (small markers)")
right.set(xlabel="epoch", ylabel="validation error", ylim=(0, None))
right.set_title(f"On the way, batches of {BATCH_SIZES[-1]}, mean of four seeds")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# On the left, layer norm hardly depends on the batch size. Batch norm gets about half of the answers
# wrong with batches of two and is as good as layer norm with batches of four. (Another rate does not
# rescue it: with a tenth, a third and three times of this one, the error on seed 0 stayed above 0.4.) On
# the right, with batches of 16, batch norm is ahead by several points in the first epochs, and at the end
# the two are close. With 600 images the difference at the end was below a point as well, and with 40
# epochs in place of 12 both norms ended at an error of 0.21. So batch norm is the faster one here, and at
# this size it is hardly the better one.
#
# Why does it break at two? One suspect is the change from the statistics of two examples in training to
# running statistics in eval mode. If that were all, the network should be good in training mode, with
# images in pairs, exactly as it was trained.

# %%
errors_in_pairs = []
for broken in models["batch norm", BATCH_SIZES[0]]:
    broken.train()  # this also moves the running statistics, which we do not use again
    errors_in_pairs.append(error_rate(broken, pictures[:2000], kinds[:2000], batch_size=BATCH_SIZES[0]))
each = "".join(f"{error:7.3f}" for error in errors_in_pairs)
print(f"batch norm trained in pairs, judged in pairs: error {each}")

# %% [markdown]
# On each seed it is even worse. In a batch of two, all that a unit can pass on is which of the two images
# had more, as on paper, and that seems to be too little to name the clothes from. (Some of these images
# belong to the training set, which makes the numbers too kind rather than too harsh.)
#
# ## Padding
#
# Names have different lengths. To put several into one array, the short ones are filled up, or padded, to
# the length of the longest. We turn each letter into a vector of eight random numbers and each padded
# position into zeros, which gives an array of names × positions × 8. Batch norm takes its means over names
# and positions, and thus over the padding. (For names of your own, change the path below. The file needs 32
# names or more, of up to 24 letters from a to z, and an error names what does not fit.)
#
# In the literature two different things are called layer norm. In Transformers it takes its means over
# the units of one position, as our function does. In networks for images it often takes them over
# everything that belongs to one example, here over positions and units. How far will each of the three
# move the letters away from what they are without padding, if one long name in the batch makes all others
# longer?

# %%
names = (HERE / "data" / "names.txt").read_text(encoding="utf-8").split()  # 8,403 names, a to z
if len(names) < 32:
    raise ValueError(f"the experiment needs 32 names, the file has {len(names)}")
some_names = [names[i] for i in rng.choice(len(names), 32, replace=False)]
letters = rng.normal(loc=1, size=(27, 8))  # rows 1 to 26 for a to z
letters[0] = 0  # padding


def letter_codes(name):
    """The letters a to z of a name as numbers from 1 to 26; raises ValueError for other characters."""
    others = "".join(letter for letter in name if not "a" <= letter <= "z")
    if others:
        raise ValueError(f"{name!r} has {others!r} in it; names are made of the letters a to z")
    return [ord(letter) - ord("a") + 1 for letter in name]


def padded(names, length):
    """Letter vectors (n, length, 8) of the names, and a mask (n, length) that is true at real letters.

    Raises ValueError for a name that is longer than `length`, and as `letter_codes` does.
    """
    codes = np.zeros((len(names), length), dtype=int)
    for row, name in zip(codes, names):
        if len(name) > length:
            raise ValueError(f"{name!r} has {len(name)} letters, and there is room for {length}")
        row[: len(name)] = letter_codes(name)
    return letters[codes], codes > 0  # (27, 8)[(n, length)] -> (n, length, 8)


MEANS_OVER = {"batch norm": (0, 1), "layer norm, whole example": (1, 2), "layer norm, each position": (2,)}
unpadded = [letters[letter_codes(name)] for name in some_names]  # each (L, 8)
without_padding = {
    "batch norm": standardise(np.concatenate(unpadded), 0)[0],
    "layer norm, whole example": np.concatenate([standardise(vectors, (0, 1))[0] for vectors in unpadded]),
    "layer norm, each position": standardise(np.concatenate(unpadded), 1)[0],
}  # each (number of letters, 8)
lengths = max(map(len, some_names)) + 4 * np.arange(8)  # from no padding for the longest on
leaks = {name: [] for name in MEANS_OVER}
for length in lengths:
    vectors, mask = padded(some_names, length)  # (32, length, 8), (32, length)
    for name, axes in MEANS_OVER.items():
        normed = standardise(vectors, axes)[0][mask]  # (32, length, 8)[(32, length)] -> (letters, 8)
        leaks[name].append(np.abs(normed - without_padding[name]).mean())
for name, row in leaks.items():
    print(f"{name:28s}mean change of a letter {row[0]:.3f} at {lengths[0]}, {row[-1]:.3f} at {lengths[-1]}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.imshow(padded(some_names[:8], 24)[1], cmap="gray", vmin=-2, vmax=1, aspect="auto")
for i, name in enumerate(some_names[:8]):
    for position, letter in enumerate(name):
        left.text(position, i, letter, ha="center", va="center")
left.set(
    xlabel="position", yticks=range(8), ylabel="name", title="Eight names, padded to 24 positions (grey)"
)
for (name, row), style in zip(leaks.items(), ("o--", "^:", "s-")):
    right.plot(lengths, row, style, label=name)
right.set(xlabel="length to which all are padded", ylabel="mean change of a letter's output")
right.set_title("What padding does to the letters")
right.legend()
plt.show()

# %% [markdown]
# With batch norm the letters move as soon as there is any padding, and further the more there is, because
# the zeros pull the mean down and change the spread. Layer norm over the whole example moves them about as
# far. Layer norm over each position does not move them at all, since no other position enters its means.
# So what protects from padding is the choice of the axes and not the name of the norm. If an average runs
# over positions, it needs a mask (12.2).
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert np.array_equal(down, [[-1] * 4, [1] * 4]), "after batch norm only who had more is left"
assert np.array_equal(along, [[-1, -1, 1, 1]] * 2), "after layer norm the pattern is left, the size is not"
for name in ("seven louder", "alone"):
    assert np.array_equal(layer_outputs[name], layer_outputs["seven others"]), "layer norm sees no company"
    assert np.abs(batch_outputs[name] - batch_outputs["seven others"]).max() > 0.1, "batch norm sees it"
assert np.all(batch_outputs["alone"] == 0), "alone, batch norm gives zeros"
final = {(name, size): errors[:, -1] for name, by_size in curves.items() for size, errors in by_size.items()}
smallest, middle, largest = BATCH_SIZES
for size in BATCH_SIZES:
    assert abs(final["layer norm", size].mean() - final["layer norm", largest].mean()) < 0.03, (
        "layer norm hardly depends on the batch size"
    )
assert final["batch norm", smallest].min() > final["layer norm", smallest].max() + 0.1, (
    "at two, batch norm breaks"
)
assert abs(final["batch norm", middle].mean() - final["layer norm", middle].mean()) < 0.03, (
    "at four, both are alike"
)
lead = (curves["layer norm"][largest] - curves["batch norm"][largest]).mean(axis=0)  # (n_epochs,)
assert lead[:3].mean() > 0.05, "with 16, batch norm is ahead in the first epochs"
assert lead[-1] < 0.03, "with 16, the two are close at the end"
assert np.all(errors_in_pairs > final["batch norm", smallest]), (
    "judged in pairs, as it was trained, batch norm gets worse"
)
assert max(leaks["layer norm, each position"]) < 1e-12, "layer norm over a position knows no padding"
for name in ("batch norm", "layer norm, whole example"):
    assert leaks[name][0] > 0.1, f"{name}: padding moves the letters"
    assert np.all(np.diff(leaks[name]) > 0), f"{name}: more padding moves them further"
ratio = np.divide(leaks["layer norm, whole example"], leaks["batch norm"])
assert ratio.min() > 0.75 and ratio.max() < 1.25, "padding moves the letters about as far in both"

# %% [markdown]
# ## Going further
#
# This can be skipped. Chapter 9 has images, for which there are more norms of the same kind, and lesson
# 12.5 asks where in a block the norm should stand.
#
# ### The family, as parts of a cube
#
# The activations of images form a block of examples × channels × places, where a channel is one of several
# pictures of the same size. Each norm cuts the block into groups that share a mean and a spread. *Instance
# norm* takes one channel of one example, *group norm* a few channels of one example.

# %%
parts = {
    "batch norm": (slice(None), 0, slice(None)),
    "layer norm,\neach place": (0, slice(None), 0),
    "layer norm,\nwhole example": (0, slice(None), slice(None)),
    "instance norm": (0, 0, slice(None)),
    "group norm,\ntwo groups": (0, slice(0, 2), slice(None)),
}
fig, axs = plt.subplots(1, 5, figsize=(14, 3.6), layout="constrained", subplot_kw={"projection": "3d"})
for ax, (name, part) in zip(axs, parts.items()):
    together = np.zeros((4, 4, 4), dtype=bool)  # examples, channels, places
    together[part] = True
    colors = np.where(together, "C1", "#e8eef4")
    ax.voxels(np.ones((4, 4, 4), dtype=bool), facecolors=colors, edgecolor="0.4", linewidth=0.5)
    ax.set(title=f"{name}: {together.sum()} of 64", xticks=[], yticks=[], zticks=[])
    ax.set(xlabel="example", ylabel="channel", zlabel="place")
    ax.view_init(elev=24, azim=-125)
    ax.set_box_aspect(None, zoom=0.85)
fig.suptitle("Values that share one mean and one spread (orange)")
plt.show()

# %% [markdown]
# Only batch norm's group contains several examples. All others stay within one example and differ in how
# much of it they take. With other axes, `standardise` is each of them. *RMS norm*, for root mean square,
# leaves out the mean and only divides by the size, and many recent language models use it because it is
# simpler and works about as well.


# %%
def rms_norm(x, axes, eps=1e-5):
    """x divided by the root of its mean square over `axes` (Zhang and Sennrich 2019)."""
    return x / np.sqrt((x * x).mean(axis=axes, keepdims=True) + eps)


block = rng.normal(loc=2, scale=3, size=(3, 4, 5, 2))  # (N, C, H, W)
torch_block = torch.from_numpy(block)
grouped = block.reshape(3, 2, 2, 5, 2)  # (N, C, H, W) -> (N, groups, C / groups, H, W)
family = {
    "batch": (standardise(block, (0, 2, 3))[0], F.batch_norm(torch_block, None, None, training=True)),
    "layer, example": (standardise(block, (1, 2, 3))[0], F.layer_norm(torch_block, (4, 5, 2))),
    "instance": (standardise(block, (2, 3))[0], F.instance_norm(torch_block)),
    "group": (standardise(grouped, (2, 3, 4))[0].reshape(block.shape), F.group_norm(torch_block, 2)),
    "RMS": (rms_norm(block, (1, 2, 3)), F.rms_norm(torch_block, (4, 5, 2), eps=1e-5)),
}
for name, (ours, theirs) in family.items():
    print(f"{name:20s}largest difference {np.abs(ours - theirs.numpy()).max():.1e}")
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ### Before or after the sum
#
# The networks of lessons 9.4 and 12.5 are stacks of blocks that add something to what they receive, $h +
# f(h)$. The norm can stand on the sum, $\operatorname{norm}(h + f(h))$, which is called *post-norm*, or in
# front of $f$, $h + f(\operatorname{norm}(h))$, which is called *pre-norm*. The first Transformer was
# post-norm and needed a warm-up of the learning rate (7.3). What do the gradients look like at the start?
#
# At the start, $f(h)$ is about as large as what it reads and has nothing to do with it. In pre-norm
# nothing is ever divided along the sum, so its variance grows by one at each block, and after $K$ blocks
# it is about $K + 1$. The last norm divides by the root of that, and the gradient for the last block with
# it. So it should fall like $1 / \sqrt{K + 1}$ with the depth. In post-norm each sum is normed at once,
# and the last block's gradient should not depend on the depth.


# %%
class Stack(nn.Module):
    """Digits (n, 64) to ten logits through residual blocks, with a layer norm before or after each."""

    def __init__(self, pre, depth=12, width=64):
        super().__init__()
        self.pre = pre
        self.blocks = nn.ModuleList()
        self.norms = nn.ModuleList()
        for _ in range(depth):
            block = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            nn.init.normal_(block[0].weight, std=(2 / width) ** 0.5)
            nn.init.normal_(block[2].weight, std=(1 / width) ** 0.5)  # a block adds as much as it receives
            self.blocks.append(block)
            self.norms.append(nn.LayerNorm(width))
        self.last = nn.LayerNorm(width) if pre else nn.Identity()
        self.head = nn.Linear(width, 10)

    def forward(self, h):
        for block, norm in zip(self.blocks, self.norms):
            h = h + block(norm(h)) if self.pre else norm(h + block(h))
        return self.head(self.last(h))


digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
pixels = torch.from_numpy(digits[:, :64] / 16).float()  # (1797, 64)
answers = torch.from_numpy(digits[:, 64]).long()  # (1797,)


def last_gradient(pre, depth, seed):
    """Length of the loss's gradient for the second matrix of the last block, before any training."""
    torch.manual_seed(seed)
    model = Stack(pre, depth)
    F.cross_entropy(model(pixels), answers).backward()
    return model.blocks[-1][2].weight.grad.norm().item()


DEPTHS = (3, 12, 24)
last_gradients = {}
print(f"{'blocks':12s}" + "".join(f"{depth:8d}" for depth in DEPTHS))
for name, pre in (("post-norm", False), ("pre-norm", True)):
    last_gradients[name] = [np.mean([last_gradient(pre, depth, s) for s in range(8)]) for depth in DEPTHS]
    print(f"{name:12s}" + "".join(f"{length:8.3f}" for length in last_gradients[name]))

# %% [markdown]
# In the mean over eight seeds this is roughly what one sees: in pre-norm the last block's gradient
# shrinks with the depth, and in post-norm it does not. A rate that is right for a deep pre-norm stack may
# then be too large for the last blocks of a post-norm stack at the start, and Xiong et al. see in this a
# reason for the warm-up. We have not trained these stacks. Lesson 12.5 trains both kinds.

# %%
assert together[0].sum() == 8 and together[1:].sum() == 0, "group norm stays within one example"
three, _, twenty_four = last_gradients["pre-norm"]
assert 0.2 < twenty_four / three < 0.7, "pre-norm: the last block's gradient shrinks with the depth"
three, _, twenty_four = last_gradients["post-norm"]
assert 0.7 < twenty_four / three < 1.5, "post-norm: the last block's gradient does not shrink"

# %% [markdown]
# ## What to remember
#
# - Layer norm takes mean and spread over the units of one example, batch norm over the examples of the
#   batch. The formula is the same.
# - So layer norm gives the same output for any batch size, and in training and eval mode. It needs no
#   running statistics.
# - Batch norm breaks with batches of two. With 16 and more it learns faster at first, and at this size it
#   ends about where layer norm does.
# - Padding leaks through each average over positions. Layer norm over the units of a position has none.
# - In the backward pass the gain is multiplied before the means, because it differs within them.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Change the first batch size from 2 to 3 in `BATCH_SIZES`. On paper, what can a unit say about three
#    examples that it could not say about two? Read batch norm's error in the table.
# 2. Draw the letters with `loc=0` instead of `loc=1`, so that zero, the padding, is their mean. Which of
#    the two statistics does padding still change, and in which direction? Look at the figure of the
#    padding.
# 3. From a blank cell at the end of the file: give batch norm a mask. Take mean and spread over the real
#    letters only, apply them to all of `vectors`, and compare the letters with `without_padding["batch
#    norm"]`. The largest difference should be rounding. On what else does the output of a name still depend?
#
# ## Sources
#
# - J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016. Reproduced: "layer norm hardly
#   depends on the batch size".
# - Y. Wu, K. He, "Group normalization", ECCV 2018: the cube, and batch norm's error at small batches.
#   Reproduced: "at two, batch norm breaks".
# - R. Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020, section 3.
#   Reproduced: "pre-norm: the last block's gradient shrinks with the depth".
# - B. Zhang, R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017; E. Alpaydin, C. Kaynak, _Optical recognition of
#   handwritten digits_, UCI, 1998; first names from stdlib, public domain: the data.
