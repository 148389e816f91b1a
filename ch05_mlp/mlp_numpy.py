# %% [markdown]
# # 5.6 An MLP from scratch: reading digits with NumPy alone
#
# You have seen every part lie on the workbench: layers, activations, losses, gradients. Now the machine
# is put together and switched on. No library differentiates for us here: when it learns, we know of each
# number where it came from.
#
# **You will build** a two-layer network with its backward pass, train it on handwritten digits, look at
# what it learned and where it fails, save it, and run it against PyTorch, step for step. **You need**
# gradients (2.4), evaluation (3.4), the forward pass (5.4) and cross-entropy (5.5).

# %%
import math
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One input, one hidden neuron, two classes. The input is $1$, the hidden weight $1$, its bias $0$: the
# hidden output is $h = 1$. Output weights $\ln 3$ and $0$ give the logits $(\ln 3, 0)$ and the
# probabilities $(\frac34, \frac14)$. The truth is the second class, so the loss is $\ln 4$. Now backward:
# at the logits the gradient is $p - t = (\frac34, -\frac34)$. Times $h$, that is the gradient of the
# output weights. Times the output weights, added up, it is the blame of the hidden neuron,
# $\frac34 \ln 3$; ReLU lets it through, and times the input it is the gradient of the hidden weight.


# %%
def paper_loss(hidden_weight, out_weight):
    """The loss of the example as a function of its hidden weight and its first output weight."""
    h = max(0.0, hidden_weight * 1.0)
    return math.log(math.exp(out_weight * h) + math.exp(0.0))  # ln(e^z1 + e^z2) - z2, with z2 = 0


nudge = 1e-6
slope_hidden = (paper_loss(1 + nudge, math.log(3)) - paper_loss(1 - nudge, math.log(3))) / (2 * nudge)
slope_out = (paper_loss(1, math.log(3) + nudge) - paper_loss(1, math.log(3) - nudge)) / (2 * nudge)
print(f"loss {paper_loss(1, math.log(3)):.4f}")
print(f"slopes: hidden weight {slope_hidden:.4f}, first output weight {slope_out:.4f}")
assert abs(slope_hidden - 3 / 4 * math.log(3)) < 1e-8 and abs(slope_out - 3 / 4) < 1e-8

# %% [markdown]
# ## Digits in three parts
#
# *Training* digits teach the weights. *Validation* digits help us choose what is not learned, such as the
# learning rate. *Test* digits are looked at once, at the end. They are shuffled first, in case the file
# has its writers in order.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

train, validation, test = np.split(rng.permutation(len(images)), [1200, 1500])
print(f"{len(train)} to train on, {len(validation)} to choose with, {len(test)} to test")
commonest = np.bincount(labels[test]).max() / len(test)
print(f"who always guesses the commonest test digit is right on {commonest:.1%}")

# %% [markdown]
# ## The network
#
# Forward, with a batch of $B$ digits in the rows of $X$:
#
# $$Z_1 = X W_1^\top + b_1, \qquad H = \max(0, Z_1), \qquad Z_2 = H W_2^\top + b_2 .$$
#
# All weights start evenly drawn from $\pm 1/\sqrt{n_\text{in}}$, where $n_\text{in}$ counts a neuron's
# inputs: large enough to be heard, small enough not to shout (the reason is lesson 6.5's).
#
# Backward, read the same three lines from right to left. An output weight $W_{2,kj}$ touches $Z_{2,bk}$
# with slope $H_{bj}$, in every example $b$, so its gradient is a sum over $b$: a matrix product. With $G$
# for the gradient at a quantity:
#
# $$G_{W_2} = G_{Z_2}^\top H, \quad G_{b_2} = \textstyle\sum_b G_{Z_2}, \quad G_H = G_{Z_2} W_2,$$
# $$G_{Z_1} = G_H \odot [Z_1 > 0], \quad G_{W_1} = G_{Z_1}^\top X, \quad
#   G_{b_1} = \textstyle\sum_b G_{Z_1} .$$
#
# Every shape fits in one way only, which is a good way to remember them.


# %%
class MLP:
    """A two-layer network with ReLU; its numbers are in the dictionary `parameters`."""

    def __init__(self, n_in, n_hidden, n_out, rng, dtype=np.float64):
        self.parameters = {}
        for layer, (rows, columns) in enumerate(((n_hidden, n_in), (n_out, n_hidden)), start=1):
            bound = 1 / math.sqrt(columns)
            self.parameters[f"weight{layer}"] = rng.uniform(-bound, bound, size=(rows, columns)).astype(dtype)
            self.parameters[f"bias{layer}"] = rng.uniform(-bound, bound, size=rows).astype(dtype)

    def forward(self, x):
        """Logits, (B, n_in) -> (B, n_out); raises ValueError where x has another shape."""
        p = self.parameters
        if x.ndim != 2 or x.shape[1] != p["weight1"].shape[1]:
            raise ValueError(f"x has shape {x.shape}, the first weight {p['weight1'].shape}: need (B, n_in)")
        self.x = x
        self.hidden = np.maximum(x @ p["weight1"].T + p["bias1"], 0)  # (B, n_in) @ (n_in, H) -> (B, H)
        return self.hidden @ p["weight2"].T + p["bias2"]  # (B, H) @ (H, n_out) -> (B, n_out)

    def backward(self, logits_gradient):
        """Gradients at all parameters, from the gradient at the logits of the last forward, (B, n_out)."""
        hidden_gradient = logits_gradient @ self.parameters["weight2"]  # (B, n_out) @ (n_out, H) -> (B, H)
        hidden_gradient *= self.hidden > 0  # ReLU passes on what it let through
        return {
            "weight1": hidden_gradient.T @ self.x,  # (H, B) @ (B, n_in) -> (H, n_in)
            "bias1": hidden_gradient.sum(axis=0),
            "weight2": logits_gradient.T @ self.hidden,  # (n_out, B) @ (B, H) -> (n_out, H)
            "bias2": logits_gradient.sum(axis=0),
        }


# %% [markdown]
# ## The loss
#
# Cross-entropy from logits and its gradient, probability minus target over $B$, as lesson 5.5 derived
# them. NumPy would read a label of $-1$ as the last class, so labels are checked before they index.


# %%
def cross_entropy(logits, labels):
    """Mean surprise at the labels (nats), and its gradient at the logits.

    logits: (B, K), labels: (B,) of whole numbers 0 to K - 1; raises ValueError for anything else.
    """
    n_examples, n_classes = logits.shape
    if labels.shape != (n_examples,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"logits {logits.shape} need {n_examples} whole labels, got {labels.shape} {labels.dtype}"
        )
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels must be from 0 to {n_classes - 1}, got {labels.min()} to {labels.max()}")
    rows = np.arange(n_examples)
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)  # (B, 1)
    gradient = exponentials / total
    loss = float(np.mean(np.log(total[:, 0]) - shifted[rows, labels]))
    gradient[rows, labels] -= 1
    gradient /= n_examples
    return loss, gradient


# %% [markdown]
# The paper example, now by the real code. Its loss and both gradients must come out as above.

# %%
paper = MLP(1, 1, 2, rng)
paper.parameters = {
    "weight1": np.array([[1.0]]),
    "bias1": np.zeros(1),
    "weight2": np.array([[math.log(3)], [0.0]]),
    "bias2": np.zeros(2),
}
loss, logits_gradient = cross_entropy(paper.forward(np.array([[1.0]])), np.array([1]))
gradients = paper.backward(logits_gradient)
print(f"loss {loss:.4f}   weight1 {gradients['weight1'][0, 0]:.4f}   weight2 {gradients['weight2'][:, 0]}")
np.testing.assert_allclose(loss, math.log(4))
np.testing.assert_allclose(gradients["weight1"], [[3 / 4 * math.log(3)]])
np.testing.assert_allclose(gradients["weight2"], [[3 / 4], [-3 / 4]])

# %% [markdown]
# ## The gradient check
#
# One paper example proves little. So nudge every single parameter of the real network both ways, and
# compare. A ReLU may sit so close to its kink that the nudge steps over it; with a nudge this small that
# is rare, and would show as one bad number among thousands.


# %%
def measured_gradients(model, x, labels, nudge=1e-6):
    """Central differences of the loss at every parameter, one by one; use float64."""
    gradients = {}
    for name, values in model.parameters.items():
        gradients[name] = np.empty_like(values)
        for index in np.ndindex(values.shape):
            kept = values[index]
            values[index] = kept + nudge
            above, _ = cross_entropy(model.forward(x), labels)
            values[index] = kept - nudge
            below, _ = cross_entropy(model.forward(x), labels)
            values[index] = kept
            gradients[name][index] = (above - below) / (2 * nudge)
    return gradients


model = MLP(64, 64, 10, rng)
x, y = images[train[:5]], labels[train[:5]]  # (5, 64), (5,)
measured = measured_gradients(model, x, y)
_, logits_gradient = cross_entropy(model.forward(x), y)
gradients = model.backward(logits_gradient)
print(f"{'parameter':20s}{'numbers':>12s}{'largest gap':>16s}")
for name in gradients:
    gap = np.max(np.abs(gradients[name] - measured[name]))
    print(f"{name:20s}{gradients[name].size:12d}{gap:16.1e}")
    assert gradients[name].shape == model.parameters[name].shape and gap < 1e-8

# %% [markdown]
# ## Training
#
# *Mini-batch SGD*, for stochastic gradient descent: shuffle, cut into batches, and after each batch step
# against its gradient. With a new shuffle for each epoch hardly any batch comes twice.


# %%
def training_step(model, x, y, learning_rate):
    """One step of SGD on the batch x (B, n_in), y (B,); returns the loss before it."""
    loss, logits_gradient = cross_entropy(model.forward(x), y)
    for name, gradient in model.backward(logits_gradient).items():
        model.parameters[name] -= learning_rate * gradient
    return loss


def run_epoch(model, x, y, learning_rate, batch_size, rng):
    """One pass over x (n, n_in), y (n,) in shuffled batches; returns the losses, one a batch."""
    order = rng.permutation(len(x))
    return [
        training_step(model, x[batch], y[batch], learning_rate)
        for batch in np.split(order, range(batch_size, len(x), batch_size))
    ]


def evaluate(model, x, y):
    """Loss (nats) and accuracy on x, y."""
    logits = model.forward(x)
    return cross_entropy(logits, y)[0], float(np.mean(logits.argmax(axis=1) == y))


# %% [markdown]
# Which learning rate? We try a few, from the same start, and let the validation digits choose.

# %%
n_epochs, batch_size = 30, 32
runs = {}
print(f"{'learning rate':20s}{'train loss':>12s}{'val. loss':>12s}{'val. accuracy':>16s}")
for learning_rate in (0.01, 0.1, 0.3, 3.0):
    start, history = MLP(64, 64, 10, np.random.default_rng(1)), []
    shuffle = np.random.default_rng(2)
    for _ in range(n_epochs):
        run_epoch(start, images[train], labels[train], learning_rate, batch_size, shuffle)
        history.append(
            (
                *evaluate(start, images[train], labels[train]),
                *evaluate(start, images[validation], labels[validation]),
            )
        )
    runs[learning_rate] = start, np.array(history)  # (n_epochs, 4)
    print(f"{learning_rate:<20}{history[-1][0]:12.4f}{history[-1][2]:12.4f}{history[-1][3]:16.1%}")

learning_rate = max(runs, key=lambda rate: runs[rate][1][-1, 3])
model, history = runs[learning_rate]
test_loss, test_accuracy = evaluate(model, images[test], labels[test])
print(f"chosen: {learning_rate}   on the test digits: loss {test_loss:.4f}, accuracy {test_accuracy:.1%}")
assert test_accuracy >= 0.95
assert runs[3.0][1][-1, 3] < 0.5  # far too fast
assert history[-1, 0] < 0.5 * history[-1, 2] and history[-1, 1] > history[-1, 3]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
epochs = np.arange(1, n_epochs + 1)
for column, name, style in ((0, "training", "-"), (2, "validation", "--")):
    left.semilogy(epochs, history[:, column], style, label=name)
    right.plot(epochs, 100 * history[:, column + 1], style, label=name)
left.set(xlabel="epoch", ylabel="loss (nats)", title="Training loss falls below validation loss")
right.set(xlabel="epoch", ylabel="accuracy (%)", title="New digits stay a little harder", ylim=(80, 101))
left.legend()
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## Where it fails
#
# A *confusion matrix* counts, for every true digit in its row, what the network read. Beside it stand the
# mistakes themselves. Would you have known?

# %%
read = model.forward(images[test]).argmax(axis=1)  # (297, 10) -> (297,)
confusion = np.bincount(10 * labels[test] + read, minlength=100).reshape(10, 10)  # (100,) -> (10, 10)
wrong = test[read != labels[test]]
print(
    f"{len(wrong)} mistakes: "
    + ", ".join(f"{labels[i]} read as {r}" for i, r in zip(wrong, read[read != labels[test]]))
)
assert confusion.sum() == len(test) and np.trace(confusion) == len(test) - len(wrong)
assert np.all(confusion.argmax(axis=1) == np.arange(10))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.imshow(np.log1p(confusion), cmap="viridis")
for truth, answer in np.argwhere(confusion):
    count = confusion[truth, answer]
    left.text(
        answer, truth, count, ha="center", va="center", fontsize=8, color="black" if count > 8 else "white"
    )
left.set(
    xlabel="read as",
    ylabel="true digit",
    xticks=range(10),
    yticks=range(10),
    title="Nearly all on the diagonal",
)
right.set(title="The mistakes: true digit, read as", xticks=[], yticks=[])
right.axis("off")
for place, i in enumerate(wrong[:8]):
    inset = right.inset_axes((0.25 * (place % 4), 0.5 - 0.5 * (place // 4), 0.23, 0.4))
    inset.imshow(images[i].reshape(8, 8), cmap="gray_r")  # (64,) -> (8, 8)
    inset.set(xticks=[], yticks=[], title=f"{labels[i]}, {model.forward(images[i : i + 1]).argmax()}")
plt.show()

# %% [markdown]
# ## What the hidden neurons look for
#
# A hidden neuron has one weight for each pixel, so its weights are a picture: blue where ink speaks for
# it, red where ink speaks against it. We draw those that the output listens to most. Where no training
# digit ever has ink, a weight has had no gradient, and is today the random number it was drawn as.

# %%
fresh = MLP(64, 64, 10, np.random.default_rng(1))
blank = np.all(images[train] == 0, axis=0)  # (64,): pixels without ink
change = np.abs(model.parameters["weight1"] - fresh.parameters["weight1"]).mean(axis=0)  # (64, 64) -> (64,)
print(
    f"{blank.sum()} blank pixels, mean change {change[blank].max():.1e}; others {change[~blank].mean():.3f}"
)
assert np.all(model.parameters["weight1"].min(axis=1) < 0) and np.all(
    model.parameters["weight1"].max(axis=1) > 0
)
assert blank.any() and np.all(change[blank] == 0) and np.all(change[~blank] > 0)

loudest = np.argsort(-np.linalg.norm(model.parameters["weight2"], axis=0))[:20]  # (10, 64) -> (64,) -> (20,)
fig, axes = plt.subplots(2, 10, figsize=(10, 2.8), layout="constrained")
limit = np.abs(model.parameters["weight1"]).max()
for ax, neuron in zip(axes.flat, loudest):
    weights = model.parameters["weight1"][neuron].reshape(8, 8)  # (64,) -> (8, 8)
    shown = ax.imshow(weights, cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"for {model.parameters['weight2'][:, neuron].argmax()}", fontsize=8)
fig.colorbar(shown, ax=axes, label="weight")
fig.suptitle("Each neuron wants ink in some places and paper in others")
plt.show()

# %% [markdown]
# ## Save and load
#
# All that training has bought is a few thousand numbers. `np.savez` writes them to a file under their
# names; a new network that loads them answers as the old one did, to the last bit.


# %%
def save(model, path):
    """Write the parameters to an .npz file."""
    np.savez(path, **model.parameters)


def load(model, path):
    """Read parameters written by `save`; raises ValueError where names or shapes are not this model's."""
    with np.load(path) as archive:
        loaded = dict(archive)
    expected = {name: values.shape for name, values in model.parameters.items()}
    found = {name: values.shape for name, values in loaded.items()}
    if found != expected:
        raise ValueError(f"the file holds {found}, the model needs {expected}")
    model.parameters = loaded


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.npz"
    save(model, path)
    other = MLP(64, 64, 10, rng)
    load(other, path)
    n_numbers = sum(values.size for values in other.parameters.values())
    print(f"{path.name}: {path.stat().st_size:,} bytes for {n_numbers} numbers")
np.testing.assert_array_equal(other.forward(images[test]), model.forward(images[test]))

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Sequential` is the network, `F.cross_entropy` the loss, and `backward` writes the six lines that we
# derived. We copy our starting weights, feed the same batches in the same order, and compare the loss at
# every step.

# %%
model, learning_rate = MLP(64, 64, 10, np.random.default_rng(1)), 0.3
network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).double()
with torch.no_grad():
    for parameter, values in zip(network.parameters(), model.parameters.values(), strict=True):
        parameter.copy_(torch.from_numpy(values))
optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)

losses, torch_losses = [], []
for _ in range(5):
    order = rng.permutation(train)
    for batch in np.split(order, range(batch_size, len(order), batch_size)):
        losses.append(training_step(model, images[batch], labels[batch], learning_rate))
        x, y = torch.from_numpy(images[batch]), torch.from_numpy(labels[batch])  # (B, 64), (B,)
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch_losses.append(loss.item())

largest = max(abs(ours - theirs) for ours, theirs in zip(losses, torch_losses, strict=True))
print(f"{len(losses)} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}, largest difference {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# ## What a step costs
#
# Now as PyTorch is usually written, with a `DataLoader` that shuffles and collects the batches, in
# float32 on both sides. For so small a network the arithmetic is the least of it. Each batch pays for
# recording the graph, dispatching every operation and stepping the optimizer, and the loader pays for
# collecting its examples one by one. Our NumPy loop has little of either to pay. A third loop cuts the
# batches by indexing, without a loader, so that we see the two prices apart; and all digits in one batch
# pay the first only once.


# %%
def torch_epoch(network, batches, optimizer):
    """One pass over pairs of inputs (B, n_in) and labels (B,); returns the losses, one a batch."""
    losses = []
    for x, y in batches:
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# The three loops take turns, so that a busy machine slows all of them, and the median of a few rounds
# counts.

# %%
x, y = images[train].astype(np.float32), labels[train]
inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
rates = {}
print(f"{'epochs a second':20s}{'NumPy':>12s}{'DataLoader':>12s}{'indexing':>12s}{'NumPy / DataLoader':>22s}")
for size in (32, len(x)):
    ours, theirs = MLP(64, 64, 10, rng, dtype=np.float32), network.float()
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=size, shuffle=True)
    seconds = []
    for _ in range(7):
        clock = [time.perf_counter()]
        run_epoch(ours, x, y, 0.1, size, rng)
        clock.append(time.perf_counter())
        torch_epoch(theirs, loader, optimizer)
        clock.append(time.perf_counter())
        parts = torch.randperm(len(x)).split(size)
        torch_epoch(theirs, ((inputs[part], targets[part]) for part in parts), optimizer)
        clock.append(time.perf_counter())
        seconds.append(np.diff(clock))
    rates[size] = 1 / np.median(seconds, axis=0)  # (3,)
    print(
        f"{f'batch size {size}':20s}"
        + "".join(f"{r:12.0f}" for r in rates[size])
        + f"{rates[size][0] / rates[size][1]:22.1f}"
    )

# %% [markdown]
# This is no reason to leave PyTorch. With larger layers the arithmetic grows and the overhead does not, a
# GPU multiplies the arithmetic again, and the six lines of `backward` become sixty. It is a reason to
# know what a framework does for you, and what it charges.
#
# ## What to remember
#
# - A network is its parameters, a forward and a backward; training is batches, a loss, and steps.
# - Each gradient is a matrix product whose shape can fit in one way only. A central difference
#   says whether you have it.
# - Training digits for the weights, validation digits for choices, test digits once.
# - PyTorch computes the same numbers. On small networks it costs overhead for each batch, and a loader
#   for each example; arithmetic hardly counts.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Forget `hidden_gradient *= self.hidden > 0`. Does the gradient check notice? Does the network still
#    learn?
# 2. Start with all weights zero. Which parameters ever move?
# 3. Train with the labels of the training digits shuffled. What do both curves do?
#
# ## Sources
#
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   *Nature* 323, 1986.
# - Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient backprop", 1998: mini-batches, shuffling,
#   starting weights.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data.
