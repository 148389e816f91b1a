# %% [markdown]
# # 8.3 Batch norm: the same scale in front of every layer
#
# Why does a network of ten layers often not learn at all, and learn within seconds after ten small layers
# have been put in between? In a relay every runner starts from where the one before hands over, and the
# layers of a network are in the same position, because each works on what the layers below it send.
# *Batch norm* (6.4) gives what they send the same mean and the same spread at every training step. Most
# networks for images have such a layer after each convolution, and without it many of them could not be
# trained at the rates that people use.
#
# **You will build** batch norm for vectors and for images with the statistics that it keeps for later use,
# measure what it does to a deep network, and test the usual explanation of why it helps. **You need** the
# backward pass of batch norm (6.4), weight initialization (6.5), momentum (7.2) and weight decay (8.2).
# **It takes** under half a minute.

# %%
import copy
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
pixels = torch.from_numpy(digits[:, :64] / 16).float()  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
train_x = pixels[:1000]
train_y = torch.from_numpy(labels[:1000])
valid_x = pixels[1000:]
valid_y = torch.from_numpy(labels[1000:])

# %% [markdown]
# ## On paper first
#
# Each unit is normalized over the batch. Two examples send a unit the values $1$ and $5$. We subtract
# their mean, divide by their standard deviation, and let the layer choose a scale $\gamma$ and a shift
# $\beta$ of its own, for example $\gamma = 3$ and $\beta = 10$:
#
# $$\begin{aligned}
#   \text{mean} \quad & \mu = (1 + 5) / 2 = 3 \\
#   \text{variance} \quad & v = \tfrac12 \left( (1-3)^2 + (5-3)^2 \right) = 4 \\
#   \text{normalized} \quad & \hat x = (x - \mu) / \sqrt v = -1,\; 1 \\
#   \text{output} \quad & y = \gamma \hat x + \beta = 7,\; 13
# \end{aligned}$$
#
# When the network is used, one image may come alone, so there is no batch to take a mean over. Training
# therefore keeps *running statistics* (6.4), which move a tenth of the way towards each new batch. They
# start at mean $0$ and variance $1$. For the running variance the sum of squares is divided by $n - 1$
# and not by $n$, here $8 / 1 = 8$. What does a single example with the value $3$, the mean of the batch,
# become afterwards?
#
# $$\begin{aligned}
#   \text{running mean} \quad & 0.9 \cdot 0 + 0.1 \cdot 3 = 0.3 \\
#   \text{running variance} \quad & 0.9 \cdot 1 + 0.1 \cdot 8 = 1.7 \\
#   \text{output} \quad & 3\, (3 - 0.3) / \sqrt{1.7} + 10 \approx 16.2
# \end{aligned}$$
#
# In training it would have become $10$. After one step the running statistics are still far from those of
# the data, so an evaluation right after the start of a training says little.

# %% [markdown]
# ## From scratch
#
# Lesson 6.4 wrote batch norm for vectors. In an image the same filter looks at every place, so all places
# share their statistics: for an array of shape $(N, C, H, W)$ the mean of a channel runs over $N$, $H$
# and $W$, and each channel has one $\gamma$ and one $\beta$. If the channels are moved to the last axis,
# both cases are one, because the means then run over all axes but the last, and arrays of shape $(C,)$
# broadcast (2.2). The formula of the output is
#
# $$y = \gamma\, \hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{v + \varepsilon}} ,$$
#
# with the statistics of the batch in training and the running ones in eval mode. The backward pass is the
# one of lesson 6.4. Every example moves the mean and the variance, and with them the outputs of all others.
# With $\langle\cdot\rangle$ for the mean over the same axes:
#
# $$\frac{\partial L}{\partial x} = \frac{\gamma}{\sqrt{v + \varepsilon}}
#   \left( \frac{\partial L}{\partial y} - \Big\langle \frac{\partial L}{\partial y} \Big\rangle
#   - \hat x \Big\langle \frac{\partial L}{\partial y}\, \hat x \Big\rangle \right), \qquad
#   \frac{\partial L}{\partial \gamma} = \sum \frac{\partial L}{\partial y}\, \hat x, \qquad
#   \frac{\partial L}{\partial \beta} = \sum \frac{\partial L}{\partial y} .$$


# %%
class BatchNorm:
    """Batch norm of (N, C) or (N, C, H, W) arrays over all axes but the second (Ioffe and Szegedy 2015).

    `weight` and `bias`, (C,), are γ and β; `running_mean` and `running_var`, (C,), are used when `training`
    is false. momentum: the share of the new batch in the running statistics. dtype: of all four arrays.
    Raises ValueError for a wrong shape, and in training for a single value per channel.
    """

    def __init__(self, n_channels, eps=1e-5, momentum=0.1, dtype=np.float64):
        self.weight = np.ones(n_channels, dtype)
        self.bias = np.zeros(n_channels, dtype)
        self.running_mean = np.zeros(n_channels, dtype)
        self.running_var = np.ones(n_channels, dtype)
        self.eps = eps
        self.momentum = momentum
        self.training = True

    def forward(self, x):
        """x normalized, scaled and shifted, of the same shape."""
        x = self.channels_last(x)  # (N, C) as it is, (N, C, H, W) -> (N, H, W, C)
        mean, variance = self.statistics(x) if self.training else (self.running_mean, self.running_var)
        self.inverse = 1 / np.sqrt(variance + self.eps)  # (C,)
        self.normalized = (x - mean) * self.inverse
        return np.moveaxis(self.weight * self.normalized + self.bias, -1, 1)

    def channels_last(self, x):
        """x with its channels moved to the last axis, once its shape is checked."""
        if x.ndim not in (2, 4) or x.shape[1] != len(self.weight):
            raise ValueError(f"expected {len(self.weight)} channels on axis 1 of 2 or 4, got {x.shape}")
        if self.training and x.size < 2 * x.shape[1]:
            raise ValueError(f"training needs more than one value per channel, got shape {x.shape}")
        return np.moveaxis(x, 1, -1)

    def statistics(self, x):
        """Mean and variance (C,) of a batch with channels last; moves the running statistics towards them."""
        axes = tuple(range(x.ndim - 1))  # all but the last
        mean = x.mean(axis=axes)
        variance = x.var(axis=axes)
        self.remember(mean, variance, x.size // x.shape[-1])
        return mean, variance

    def remember(self, mean, variance, n):
        """Move the running statistics towards those of a batch with n values per channel."""
        unbiased = variance * (n / (n - 1))
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * unbiased

    def backward(self, grad_out):
        """Gradient at the input of the last `forward`; also sets `grad_weight` and `grad_bias`, (C,) each."""
        grad = np.moveaxis(grad_out, 1, -1)
        axes = tuple(range(grad.ndim - 1))
        self.grad_weight = (grad * self.normalized).sum(axis=axes)
        self.grad_bias = grad.sum(axis=axes)
        if self.training:
            along = (grad * self.normalized).mean(axis=axes)  # (C,)
            grad = grad - grad.mean(axis=axes) - self.normalized * along
        return np.moveaxis(self.weight * self.inverse * grad, -1, 1)


layer = BatchNorm(1)
layer.weight = np.array([3.0])
layer.bias = np.array([10.0])
print("training:", layer.forward(np.array([[1.0], [5.0]])).ravel().round(3))
layer.training = False
print("eval, a single 3:", layer.forward(np.array([[3.0]])).ravel().round(3))
print("running mean and variance:", layer.running_mean, layer.running_var)

# %% [markdown]
# These are the numbers of the paper section, up to the small $\varepsilon = 10^{-5}$, which prevents a
# division by zero if a unit does not vary. A gradient in eval mode has no batch to answer for, so there
# two of its three terms are missing. A single example has no variance, so training refuses a batch of one.
# If it were let through, $n / (n - 1)$ would write `inf` or `nan` into the running variance for good.
#
# ## The same in PyTorch
#
# PyTorch has `nn.BatchNorm1d` for vectors and `nn.BatchNorm2d` for images. Their running statistics are
# buffers (4.3): they belong to the `state_dict`, because eval mode cannot do without them, but no
# optimizer touches them. With the same $\gamma$ and $\beta$ the two see the same ten batches as our
# class, and one more in eval mode. We compare outputs, all three gradients and both running statistics.


# %%
def difference_from_torch(ours, theirs, shape, rng):
    """The largest difference between ours and theirs over ten steps of training and one in eval mode."""
    ours.weight, ours.bias = rng.normal(size=(2, shape[1]))
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(ours.weight))
        theirs.bias.copy_(torch.from_numpy(ours.bias))
    differences = []
    for step in range(11):
        ours.training = step < 10
        theirs.train(step < 10)
        x, grad_out = rng.normal(loc=2, scale=3, size=(2, *shape))  # two arrays of this shape
        inputs = torch.from_numpy(x).requires_grad_()
        out = theirs(inputs)
        wanted = [inputs, theirs.weight, theirs.bias]
        torch_grads = torch.autograd.grad(out, wanted, torch.from_numpy(grad_out))
        mine = [ours.forward(x), ours.backward(grad_out), ours.grad_weight, ours.grad_bias]
        mine += [ours.running_mean, ours.running_var]
        judges = [out.detach(), *torch_grads, theirs.running_mean, theirs.running_var]
        differences += [np.abs(a - b.numpy()).max() for a, b in zip(mine, judges, strict=True)]
    return max(differences)


for kind, shape in ((nn.BatchNorm1d, (7, 4)), (nn.BatchNorm2d, (3, 4, 5, 2))):
    largest = difference_from_torch(BatchNorm(4), kind(4).double(), shape, rng)
    print(f"{kind.__name__:20s}largest difference {largest:.1e}")
    assert largest < 1e-10
try:
    nn.BatchNorm1d(4)(torch.ones(1, 4))
except ValueError as error:
    print("a batch of one:", error)

# %% [markdown]
# All differences are rounding, and the library refuses a batch of one, too.
#
# ## What it does to a deep network
#
# Ten ReLU layers of 64 units read the digits. The weights start as PyTorch's linear layers set them by
# default, which for ReLU is too small (6.5). First we ask what arrives at the ten layers before any
# training: by how much does the input of a unit's ReLU vary from image to image?


# %%
def deep_network(norm, he=False, n_in=64, depth=10, width=64):
    """Pixels to ten logits through `depth` layers; norm: a class of norm layers or None; he: He's weights."""
    layers = []
    for _ in range(depth):
        linear = nn.Linear(n_in, width)
        if he:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
        layers.append(linear)
        if norm:
            layers.append(norm(width))
        layers.append(nn.ReLU())
        n_in = width
    layers.append(nn.Linear(n_in, 10))
    return nn.Sequential(*layers)


# %%
def spreads_at_start(norm):
    """For each hidden layer the spread over the training images of what its ReLU receives, mean of units."""
    torch.manual_seed(0)
    found = []
    activations = train_x
    with torch.no_grad():
        for layer in deep_network(norm):
            if isinstance(layer, nn.ReLU):
                found.append(activations.std(dim=0).mean().item())
            activations = layer(activations)
    return found


start_spreads = {"without": spreads_at_start(None), "with": spreads_at_start(nn.BatchNorm1d)}
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogy(range(1, 11), start_spreads["without"], "o--", label="without batch norm")
ax.semilogy(range(1, 11), start_spreads["with"], "s-", label="with batch norm")
ax.set(xlabel="layer", ylabel="spread over the images", title="What a unit receives before training")
ax.legend()
plt.show()

# %% [markdown]
# Without batch norm each layer about halves the spread, until at the tenth layer all images look nearly
# alike. Batch norm sets the spread to one each time, so every layer can tell the images apart.
#
# Does that decide whether the network learns? We train it with and without, at three learning rates and
# with four seeds each, for 80 steps of batches of 60. The 1,000 digits fit into one tensor, so we draw
# the batches by index. If a small spread only makes the steps too short, a higher rate should make up for
# it.


# %%
def train(norm, learning_rate, seed, n_steps, he=False):
    """Train a `deep_network` by SGD; the model, its losses (n_steps,), and what its last ReLU received.

    The latter is a dict: "mean" and "spread" of each unit over the batch at each step, (n_steps, width).
    """
    torch.manual_seed(seed)
    model = deep_network(norm, he)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    order = torch.Generator().manual_seed(seed)  # its own, so that all kinds of network see the same batches
    losses = []
    received = {"mean": [], "spread": []}
    model.train()
    for _ in range(n_steps):
        batch = torch.randint(len(train_x), (60,), generator=order)
        at_relu = model[:-2](train_x[batch])  # (60, width): all but the last ReLU and the last layer
        loss = F.cross_entropy(model[-2:](at_relu), train_y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        received["mean"].append(at_relu.detach().mean(dim=0).numpy())
        received["spread"].append(at_relu.detach().std(dim=0).numpy())
    return model, np.array(losses), {name: np.array(values) for name, values in received.items()}


def accuracy(model, x, y):
    """Share of right answers in eval mode."""
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(dim=1) == y).float().mean().item()


# %%
SEEDS = range(4)
LEARNING_RATES = (0.01, 0.1, 1.0)
default_accuracy = {"without": [], "batch norm": []}  # four accuracies for each rate
print(f"{'learning rate':20s}{'without':>20s}{'batch norm':>20s}   (validation accuracy, four seeds)")
for learning_rate in LEARNING_RATES:
    columns = []
    for name, norm in (("without", None), ("batch norm", nn.BatchNorm1d)):
        found = [accuracy(train(norm, learning_rate, seed, 80)[0], valid_x, valid_y) for seed in SEEDS]
        default_accuracy[name].append(found)
        columns.append(f"{min(found):.2f} to {max(found):.2f}")
    print(f"{learning_rate:<20}" + "".join(f"{column:>20s}" for column in columns))

# %% [markdown]
# Without batch norm the network guesses one digit in ten at every rate, and with it the same network
# learns at all three of them, over a factor of a hundred. A better start would help, too: with He
# initialization (6.5) the network trains without batch norm, and we use that below. But batch norm does
# not depend on the start, because it corrects the scale again at every step.
#
# ## Is it the moving inputs?
#
# The authors of batch norm explained its use like this: each layer learns on inputs that move while the
# layers below it learn, which they called *internal covariate shift*, and batch norm holds them still.
# This can be tested, as Santurkar and others did in 2018. If holding them still is what helps, then batch
# norm whose outputs are pushed around again should help no longer. The class `WanderingBatchNorm` does
# this. During training it adds to every unit a shift that wanders from step to step.
#
# All networks start from He initialization now. Each kind chooses its learning rate from three by the
# mean of two seeds, and runs for 120 steps with eight others. For each unit of the last hidden layer we
# take the mean of what it receives over the batch, and measure how far this mean moves, in spreads within
# a batch: from one step to the next, and over the whole run. (This is measured in training mode, because
# only there is anything pushed.)


# %%
class WanderingBatchNorm(nn.BatchNorm1d):
    """Batch norm whose output is moved away again in training, by a shift that wanders.

    At each step every unit keeps 0.8 of its last shift and adds normal noise of standard deviation 0.65.
    """

    def __init__(self, n_channels):
        super().__init__(n_channels)
        self.shift = torch.zeros(n_channels)

    def forward(self, x):
        out = super().forward(x)
        if self.training:
            self.shift = 0.8 * self.shift + 0.65 * torch.randn(len(self.shift))
            out = out + self.shift
        return out


# %%
KINDS = {"without": None, "batch norm": nn.BatchNorm1d, "wandering": WanderingBatchNorm}
RATES = {"without": (0.01, 0.05, 0.25), "batch norm": (0.1, 0.4, 1.6), "wandering": (0.1, 0.4, 1.6)}
SHIFT_SEEDS = range(8)
shift_runs = {}
chosen_rates = {}
for name, norm in KINDS.items():
    ends = []  # for each rate the mean loss of the last 20 steps, over two seeds
    for rate in RATES[name]:
        ends.append(np.mean([train(norm, rate, seed, 120, he=True)[1][-20:] for seed in (10, 11)]))
    chosen_rates[name] = RATES[name][int(np.argmin(ends))]
    shift_runs[name] = [train(norm, chosen_rates[name], seed, 120, he=True) for seed in SHIFT_SEEDS]


def movement(received):
    """How far unit means move, in spreads: from step to step, and over the run (a standard deviation)."""
    step_by_step = np.abs(np.diff(received["mean"], axis=0)).mean() / received["spread"].mean()
    whole_run = received["mean"].std(axis=0).mean() / received["spread"].mean()
    return step_by_step, whole_run


end_losses = {}
movements = {}
print(f"{'':20s}{'rate':>8s}{'moves per step':>16s}{'over the run':>16s}{'last 20 losses (range)':>26s}")
for name, runs in shift_runs.items():
    movements[name] = np.array([movement(received) for _, _, received in runs])  # (8, 2)
    end_losses[name] = np.array([losses[-20:].mean() for _, losses, _ in runs])  # (8,)
    steps, whole = movements[name].mean(axis=0)
    span = f"{end_losses[name].mean():.2f} ({end_losses[name].min():.2f} to {end_losses[name].max():.2f})"
    print(f"{name:20s}{chosen_rates[name]:8.2f}{steps:16.2f}{whole:16.2f}{span:>26s}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, style in zip(KINDS, ("--", "-", ":")):
    _, _, received = shift_runs[name][0]
    left.plot(received["mean"][:, 0] / received["spread"].mean(), style, label=name)
    mean_losses = np.mean([losses for _, losses, _ in shift_runs[name]], axis=0)  # (n_steps,)
    right.semilogy(np.convolve(mean_losses, np.ones(10) / 10, "valid"), style, label=name)
left.set(xlabel="step", ylabel="batch mean (spreads)", title="What one unit receives (seed 0)")
right.set(xlabel="step", ylabel="loss (nats), mean of ten steps", title="Training, mean of eight seeds")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# With batch norm the unit receives nearly the same mean at every step, because only its $\beta$ can move
# it. With the wandering shift the means move about as far as in the network without any norm, from step
# to step and over the run. Nevertheless that network takes a higher learning rate than the one without,
# and in the mean of the eight seeds it reaches a clearly lower training loss (not on each seed), although
# it stays well behind plain batch norm. So a part of the advantage does not need inputs that keep still,
# at least in this network and with a shift of this size, and the moving inputs cannot be the whole
# explanation. Santurkar and others propose another one: with batch norm the loss changes more smoothly
# along the gradient, so that longer steps are safe. We do not test that here.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
ratios = np.divide(start_spreads["without"][1:], start_spreads["without"][:-1])
assert ratios.max() < 0.6, "without batch norm each layer about halves the spread"
assert np.allclose(start_spreads["with"], 1, atol=0.02), "with batch norm each layer receives a spread of one"
for without, with_norm in zip(default_accuracy["without"], default_accuracy["batch norm"], strict=True):
    assert max(without) < 0.2, "without batch norm the network guesses at every rate"
    assert min(with_norm) > 0.5, "with batch norm it learns at every rate"
for name, rates in RATES.items():
    assert chosen_rates[name] == rates[1], "each kind's best rate lies inside its grid"
assert chosen_rates["wandering"] > chosen_rates["without"], "with the shift, too, the best rate is higher"
assert movements["batch norm"].max() < 0.05, "with batch norm the inputs keep still"
steps, whole = (movements["wandering"] / movements["without"]).T  # (8,) each
assert 0.7 < steps.mean() < 1.5, "with the shift inputs move about as far per step as without a norm"
assert 0.7 < whole.mean() < 1.8, "with the shift inputs move about as far over the run as without a norm"
assert end_losses["wandering"].mean() < end_losses["without"].mean() - 0.1, (
    "batch norm with wandering outputs trains faster in the mean of eight seeds"
)
assert (end_losses["batch norm"] < 0.6 * end_losses["wandering"]).all(), "plain batch norm trains fastest"

# %% [markdown]
# ## Going further
#
# Five supplements, which no later lesson needs: whether batch norm regularizes, what weight decay means in
# front of it, how to remove the layer for use, the layer as a module of one's own, and a faster form.
#
# ### Does it regularize?
#
# In training, what an example turns into depends on the other examples of its batch. That is a kind of
# noise, and noise can keep a network from fitting its training images too closely, as in dropout (8.1). To
# see the noise alone, one network takes the statistics of a whole batch of 100, and another one takes them
# in groups of ten from the same batch. Its momentum is a tenth, so that ten groups move the running
# statistics about as far as one batch does. A network without batch norm is the control. What do you
# expect of the training loss and of the validation loss, on 1,000 images of Fashion-MNIST?


# %%
class GroupedBatchNorm(nn.BatchNorm1d):
    """Batch norm that in training takes the statistics of every ten examples on their own."""

    def __init__(self, n_channels):
        super().__init__(n_channels, momentum=0.01)

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        # inside a comprehension super() needs to be told the class and the object
        return torch.cat([super(GroupedBatchNorm, self).forward(part) for part in x.split(10)])


with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    clothes = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    kinds = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
clothes = clothes.flatten(1)  # (5000, 28, 28) -> (5000, 784)


# %%
def fit_clothes(norm, seed, n_train=1000, n_epochs=20, batch_size=100):
    """Train on clothes drawn by `seed`: training loss, validation loss and validation accuracy at the end.

    norm: a class of norm layers, or None. Momentum SGD, with a rate that falls to zero. Raises ValueError
    for more than 3,000 training images, because the other 2,000 are for validation.
    """
    if n_train > 3000:
        raise ValueError(f"3,000 images are there to train on, got n_train = {n_train}")
    torch.manual_seed(seed)
    model = deep_network(norm, n_in=784, depth=2)
    chosen = torch.randperm(len(clothes), generator=torch.Generator().manual_seed(seed))
    rows = chosen[:n_train]
    valid_rows = chosen[-2000:]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    n_steps = n_epochs * math.ceil(n_train / batch_size)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=n_steps)
    model.train()
    for _ in range(n_epochs):
        for batch in rows[torch.randperm(n_train)].split(batch_size):
            loss = F.cross_entropy(model(clothes[batch]), kinds[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    model.eval()
    with torch.no_grad():
        train_loss = F.cross_entropy(model(clothes[rows]), kinds[rows]).item()
        valid_loss = F.cross_entropy(model(clothes[valid_rows]), kinds[valid_rows]).item()
    return train_loss, valid_loss, accuracy(model, clothes[valid_rows], kinds[valid_rows])


# %%
fits = {}
print(f"{'statistics of':20s}{'training loss':>18s}{'validation loss':>18s}{'accuracy':>18s}   (four seeds)")
rivals = {"no batch norm": None, "100 examples": nn.BatchNorm1d, "10 examples": GroupedBatchNorm}
for name, norm in rivals.items():
    fits[name] = np.array([fit_clothes(norm, seed) for seed in SEEDS])  # (4, 3)
    spans = [f"{low:.3f} to {high:.3f}" for low, high in zip(fits[name].min(axis=0), fits[name].max(axis=0))]
    print(f"{name:20s}" + "".join(f"{span:>18s}" for span in spans))

# %% [markdown]
# With groups of ten the training loss is several times higher and the validation loss is lower, on every
# seed, while the accuracy hardly differs. So the noise of the statistics does regularize a little: it holds
# back confidence more than errors. The first row keeps us from a wrong conclusion, though. Without batch
# norm the network fits its training images far less closely in the same number of steps, and its
# validation loss is lower than with the statistics of 100. So what batch norm mainly does here is to make
# training fast, and its regularization is a side effect that depends on the size of the batch.
#
# ### Weight decay in front of a batch norm
#
# If all weights of a layer are multiplied by ten, its outputs are multiplied by ten, and batch norm
# divides by ten again. The function stays the same, and because the loss has not changed while the weights
# have been stretched, the gradient is a tenth. Relative to the weights a step is then a hundredth. Lesson
# 8.2 made weights small to make a function simple, but here small weights leave the function as it is.
# What does weight decay change then? We train the deep network without and with it, and look at the length
# of the weights in front of the norms and at the length of a step relative to it.


# %%
def scaled_results(factor):
    """Output and gradient of the weights, if a layer in front of a batch norm is scaled by a factor."""
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 5, dtype=torch.float64, generator=draws)
    weight = factor * torch.randn(4, 5, dtype=torch.float64, generator=draws)
    grad_out = torch.randn(32, 4, dtype=torch.float64, generator=draws)
    weight.requires_grad_()
    out = F.batch_norm(inputs @ weight.T, None, None, training=True, eps=1e-14)  # (32, 5) @ (5, 4) -> (32, 4)
    return out.detach(), torch.autograd.grad(out, weight, grad_out)[0]


out, grad = scaled_results(1)
out_10, grad_10 = scaled_results(10)
print(f"output moved by {(out - out_10).abs().max():.1e}, gradient times {(grad_10 / grad).mean():.3f}")
torch.testing.assert_close(out, out_10)
torch.testing.assert_close(grad / 10, grad_10)

relative_steps = {}
lengths = {}
for decay in (0.0, 0.03):
    torch.manual_seed(0)
    model = deep_network(nn.BatchNorm1d, he=True)
    weights = [layer.weight for layer in model[:-1] if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, weight_decay=decay)
    for _ in range(300):
        batch = torch.randint(len(train_x), (60,))
        loss = F.cross_entropy(model(train_x[batch]), train_y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lengths[decay] = np.mean([weight.norm().item() for weight in weights])
    relative_steps[decay] = np.mean([0.3 * (w.grad.norm() / w.norm()).item() for w in weights])
    print(f"decay {decay:<8}weights {lengths[decay]:6.2f} long, a step {relative_steps[decay]:.1%} of that")

# %% [markdown]
# With decay the weights are shorter, and each step turns them further, so in front of a batch norm weight
# decay acts as a larger learning rate (van Laarhoven 2017). Without it the weights only grow, because the
# gradient is orthogonal to them (Arora and others 2019). Not all of the difference comes from the length:
# without decay the training loss is nearly zero here, which makes the gradient smaller, too.
#
# ### Removing the layer for use
#
# In eval mode batch norm is a fixed line for each channel, and the linear layer in front of it is linear,
# too. With $s = \gamma / \sqrt{v + \varepsilon}$, where $\mu$ and $v$ are the running statistics, both
# together are one linear layer:
#
# $$W' = s \odot W \;\text{ (each row by its own } s), \qquad b' = s\, (b - \mu) + \beta .$$


# %%
def fold(linear, norm):
    """One nn.Linear that does what `linear` followed by the nn.BatchNorm1d `norm` does in eval mode."""
    folded = nn.Linear(linear.in_features, linear.out_features, dtype=linear.weight.dtype)
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (n_out,)
        folded.weight.copy_(scale[:, None] * linear.weight)  # (n_out, 1) * (n_out, n_in)
        bias = 0 if linear.bias is None else linear.bias  # often left out, as the norm has its own
        folded.bias.copy_(scale * (bias - norm.running_mean) + norm.bias)
    return folded


trained = copy.deepcopy(shift_runs["batch norm"][0][0]).double().eval()
folded_layers = []
for layer in trained:
    if isinstance(layer, nn.BatchNorm1d):
        folded_layers[-1] = fold(folded_layers[-1], layer)
    else:
        folded_layers.append(layer)
folded = nn.Sequential(*folded_layers)
with torch.no_grad():
    fold_difference = (trained(valid_x.double()) - folded(valid_x.double())).abs().max().item()
print(f"{len(trained)} layers became {len(folded)}; largest difference of a logit {fold_difference:.1e}")
assert fold_difference < 1e-10

# %% [markdown]
# The logits are the same, so a trained network can be used without its batch norms.
#
# ### As a module of one's own
#
# In a module the parameters are `nn.Parameter`s, the running statistics are registered as buffers, and
# autograd does the backward pass. The comparison is the one from above.


# %%
class TorchBatchNorm(nn.Module):
    """`nn.BatchNorm1d` in plain operations, for (N, C); ValueError for a batch of one in training.

    Of the library's `state_dict` only `num_batches_tracked`, a count of batches, is missing.
    """

    def __init__(self, n_channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))
        self.eps = eps
        self.momentum = momentum

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] != len(self.weight):
            raise ValueError(f"expected (N, {len(self.weight)}), got {tuple(x.shape)}")
        if not self.training:
            mean, variance = self.running_mean, self.running_var
        elif len(x) < 2:
            raise ValueError(f"training needs two examples or more, got shape {tuple(x.shape)}")
        else:
            variance, mean = torch.var_mean(x, dim=0, correction=0)  # (C,) each
            with torch.no_grad():
                unbiased = variance * len(x) / (len(x) - 1)
                self.running_mean.lerp_(mean, self.momentum)  # the share `momentum` of the way
                self.running_var.lerp_(unbiased, self.momentum)
        return self.weight * (x - mean) / torch.sqrt(variance + self.eps) + self.bias


largest = difference_from_torch(BatchNorm(4), TorchBatchNorm(4).double(), (7, 4), rng)
print(f"{'TorchBatchNorm':20s}largest difference {largest:.1e}")
assert largest < 1e-10

# %% [markdown]
# The module agrees as well.
#
# ### The same, faster
#
# The plain class makes an array of the input's size for almost every operation, and for large arrays the
# memory traffic takes the time. The fast one keeps `x - mean`, moves the factors that belong to a channel
# to arrays of size $C$, and works in place if it owns the array. The price is that the formula can no
# longer be read off.


# %%
class FastBatchNorm(BatchNorm):
    """As `BatchNorm`, with fewer passes over the large arrays, which keep their channels on axis 1."""

    def per_channel(self, value, ndim):
        """(C,) -> (1, C) or (1, C, 1, 1), to broadcast against a batch."""
        return value.reshape(1, -1, *[1] * (ndim - 2))

    def channel_sum(self, a, b=None):
        """Sum of a, or of a times b, over all axes but the second, (C,)."""
        if a.ndim == 2:
            return np.ones(len(a), a.dtype) @ (a if b is None else a * b)  # (N,) @ (N, C) -> (C,)
        a = a.reshape(*a.shape[:2], -1)  # (N, C, H, W) -> (N, C, H * W)
        return (a.sum(axis=-1) if b is None else np.vecdot(a, b.reshape(a.shape))).sum(axis=0)

    def forward(self, x):
        self.channels_last(x)  # for its check of the shape
        n = x.size // x.shape[1]
        mean = self.channel_sum(x) / n if self.training else self.running_mean  # (C,)
        self.centered = x - self.per_channel(mean, x.ndim)
        if self.training:
            variance = self.channel_sum(self.centered, self.centered) / n  # (C,)
            self.remember(mean, variance, n)
        else:
            variance = self.running_var
        self.inverse = 1 / np.sqrt(variance + self.eps)  # (C,)
        out = self.centered * self.per_channel(self.inverse * self.weight, x.ndim)
        out += self.per_channel(self.bias, x.ndim)
        return out

    def backward(self, grad_out):
        ndim = grad_out.ndim
        n = grad_out.size // grad_out.shape[1]
        along = self.channel_sum(grad_out, self.centered)  # (C,)
        self.grad_weight = along * self.inverse
        self.grad_bias = self.channel_sum(grad_out)
        scale = self.per_channel(self.inverse * self.weight, ndim)
        if not self.training:
            return grad_out * scale
        grad = self.centered * self.per_channel(-along * self.inverse**2 / n, ndim)
        grad += grad_out
        grad -= self.per_channel(self.grad_bias / n, ndim)
        grad *= scale
        return grad


# %%
def seconds_for(layer, x, grad_out):
    """The median time of forward and backward over five calls."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        layer.forward(x)
        layer.backward(grad_out)
        times.append(time.perf_counter() - start)
    return np.median(times)


large_x, large_grad = rng.normal(size=(2, 32, 64, 28, 28)).astype(np.float32)
plain_layer = BatchNorm(64, dtype=np.float32)
fast_layer = FastBatchNorm(64, dtype=np.float32)
plain_seconds = seconds_for(plain_layer, large_x, large_grad)
fast_seconds = seconds_for(fast_layer, large_x, large_grad)
print(f"(32, 64, 28, 28): plain {1e3 * plain_seconds:.1f} ms, fast {1e3 * fast_seconds:.1f} ms")
small_x, small_grad = rng.normal(size=(2, 5, 3, 4, 2))
plain_layer = BatchNorm(3)
fast_layer = FastBatchNorm(3)
np.testing.assert_allclose(fast_layer.forward(small_x), plain_layer.forward(small_x), rtol=1e-10, atol=1e-12)
np.testing.assert_allclose(fast_layer.backward(small_grad), plain_layer.backward(small_grad), atol=1e-12)

# %% [markdown]
# Both forms give the same numbers, and the fast one takes about half of the time here.

# %%
grouped = fits["10 examples"]
together = fits["100 examples"]
alone = fits["no batch norm"]
assert (grouped[:, 0] > 2 * together[:, 0]).all(), "small groups raise the training loss"
assert (grouped[:, 1] < together[:, 1] - 0.05).all(), "small groups lower the validation loss"
assert np.abs(grouped[:, 2].mean() - together[:, 2].mean()) < 0.015, "the accuracy hardly differs"
assert (alone[:, 0] > 5 * together[:, 0]).all(), "without batch norm the fit is less close"
assert (alone[:, 1] < together[:, 1]).all(), "and the validation loss is lower"
assert lengths[0.03] < 0.8 * lengths[0.0], "with decay the weights in front of the norms are shorter"
assert relative_steps[0.03] > 1.3 * relative_steps[0.0], "and each step turns them further"
assert len(folded) == len(trained) - 10, "a trained network can do without its batch norms"

# %% [markdown]
# ## What to remember
#
# - Batch norm gives each channel mean zero and variance one over the batch (and the places of an image),
#   and then scales and shifts it by two learned numbers. The gradient passes through the statistics, too.
# - Training uses the statistics of the batch, so a batch of one is refused. Eval mode uses running
#   statistics, which lag behind at first. Without `eval()` the answer for an image depends on the others.
# - A deep network trains from starts and at learning rates that would fail without it. That its inputs
#   keep still is not the whole reason, since a part of the advantage is left if they are pushed around.
# - Small batches make the statistics noisy, which regularizes a little.
# - In front of a batch norm the length of the weights does not matter to the function, so weight decay
#   acts on the effective learning rate.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `WanderingBatchNorm`, write `3.0` in place of `0.65`, so that the shift is far larger than the
#    spread of the images. What happens to the last column of the table and to the right panel of the
#    second figure?
# 2. In `GroupedBatchNorm`, write `x.split(2)` in place of `x.split(10)`. Will training and validation loss
#    go further in the same direction? What becomes of the accuracy?
# 3. From a blank cell after the cell of `difference_from_torch`: give a `BatchNorm(1)` in training mode
#    the batch 1, 5 a hundred times, then set `training` to `False` and let it normalize the 1 alone.
#    Which number do you expect, if $n - 1$ stands below in the running variance? Compare with the $-1$ of
#    the paper section.
#
# ## Sources
#
# - S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal
#   covariate shift", ICML 2015, algorithms 1 and 2. Reproduced: "with batch norm it learns at every rate".
# - S. Santurkar, D. Tsipras, A. Ilyas, A. Madry, "How does batch normalization help optimization?",
#   NeurIPS 2018, section 2.1: outputs that are pushed around (their noise is drawn afresh at each step).
#   Reproduced: "batch norm with wandering outputs trains faster".
# - E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", NeurIPS 2017: statistics of small
#   groups. Reproduced: "small groups lower the validation loss".
# - T. van Laarhoven, "L2 regularization versus batch and weight normalization", 2017. Reproduced: "and
#   each step turns them further".
# - S. Arora, Z. Li, K. Lyu, "Theoretical analysis of auto rate-tuning by batch normalization", ICLR 2019.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017; E. Alpaydin, C. Kaynak, _Optical recognition of
#   handwritten digits_, UCI, 1998: the data, MIT and CC BY 4.0.
