# %% [markdown]
# # 5.6 An MLP from scratch: reading digits with NumPy, then clothes with PyTorch
#
# A post office sorts letters by handwritten digits, and a bank reads amounts on forms. In the nineties,
# neural networks took over this job. A small one that does it well has two layers, and all its parts
# (layers, activations, losses and gradients) are known by now. What happens if we put them together?
#
# In this lesson no library computes gradients for us, so we can follow every number back to where it comes
# from. At the end the same kind of network is written in PyTorch, as a team would write it, and learns to
# tell pictures of clothes apart.
#
# **You will build** a two-layer network with its backward pass, check its gradients, train it on
# handwritten digits, look at its mistakes and at what its neurons have learned, and run it against PyTorch
# step by step. **You need** gradients (2.4), evaluation (3.4), the training cycle (4.4), the forward pass
# (5.4) and cross-entropy (5.5).

# %%
import math
import tempfile
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
# One input, one hidden neuron with ReLU, two classes. The input is $x = 1$, the hidden weight $w = 1$, its
# bias $0$. The output weights are $v_1 = \ln 3$ and $v_2 = 0$, without biases, and the true class is the
# second. We go forward first, from the input to the loss:
#
# $$\begin{aligned}
#   h &= \max(0, w x) = 1 \\
#   \text{logits} \quad z &= (v_1 h, v_2 h) = (\ln 3, 0) \\
#   \text{probabilities} \quad p &= \left(\tfrac{3}{3 + 1}, \tfrac{1}{3 + 1}\right)
#     = \left(\tfrac34, \tfrac14\right), \qquad L = -\ln \tfrac14 = \ln 4
# \end{aligned}$$
#
# Then we go backward by the chain rule (2.3). At the logits the gradient is probability minus target (5.5).
# The gradient of a weight is the gradient at its output times the weight's input. The hidden neuron has an
# effect on both logits, and the two effects add up.
#
# $$\begin{aligned}
#   \frac{\partial L}{\partial z} &= p - t = \left(\tfrac34, -\tfrac34\right), \qquad
#   \frac{\partial L}{\partial v} = \frac{\partial L}{\partial z}\, h = \left(\tfrac34, -\tfrac34\right) \\
#   \frac{\partial L}{\partial h} &= \tfrac34 \ln 3 - \tfrac34 \cdot 0 = \tfrac34 \ln 3, \qquad
#   \frac{\partial L}{\partial w} = \frac{\partial L}{\partial h} \cdot 1 \cdot x = \tfrac34 \ln 3
# \end{aligned}$$
#
# The factor $1$ in the last line is the slope of ReLU, which is on. We also measure two of these slopes, as
# a check.


# %%
def paper_loss(w, v1):
    """The loss of the example as a function of its hidden weight and its first output weight."""
    h = max(0.0, w * 1.0)
    return math.log(math.exp(v1 * h) + math.exp(0.0))  # ln(e^z1 + e^z2) - z2, with z2 = 0


step = 1e-6
slope_w = (paper_loss(1 + step, math.log(3)) - paper_loss(1 - step, math.log(3))) / (2 * step)
slope_v1 = (paper_loss(1, math.log(3) + step) - paper_loss(1, math.log(3) - step)) / (2 * step)
print(f"loss {paper_loss(1, math.log(3)):.4f}, slope along w {slope_w:.4f}, along v1 {slope_v1:.4f}")
assert abs(slope_w - 3 / 4 * math.log(3)) < 1e-8 and abs(slope_v1 - 3 / 4) < 1e-8

# %% [markdown]
# ## Digits in three parts
#
# The training set teaches the weights, and the validation set helps us choose what is not learned, here the
# learning rate. The test set is used when everything has been chosen (3.1), and nothing is changed after
# it. The digits are shuffled first, since the file may have its writers in order.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

train, validation, test = np.split(rng.permutation(len(images)), [800, 1100])
most_common = np.bincount(labels[test]).max() / len(test)
print(f"{len(train)} digits to train on, {len(validation)} to choose with, {len(test)} to test")
print(f"always the most common test digit: accuracy {most_common:.1%}")

# %% [markdown]
# ## Forward and backward
#
# Forward, with a batch of $B$ digits in the rows of $X$ and $H$ for the hidden outputs:
#
# $$Z_1 = X W_1^\top + b_1, \qquad H = \max(0, Z_1), \qquad Z_2 = H W_2^\top + b_2 .$$
#
# Backward, we take the same formulas from the last to the first. An output weight $W_{2,kj}$ multiplies
# $H_{bj}$ in every example $b$, and the product is added to $Z_{2,bk}$. So its gradient is the sum of
# $\frac{\partial L}{\partial Z_{2,bk}} H_{bj}$ over the examples, and for all weights at once that is a
# matrix product:
#
# $$\begin{aligned}
#   \frac{\partial L}{\partial W_2} &= \left(\frac{\partial L}{\partial Z_2}\right)^{\!\top} H &
#   \frac{\partial L}{\partial b_2} &= \sum_b \left(\frac{\partial L}{\partial Z_2}\right)_b &
#   \frac{\partial L}{\partial H} &= \frac{\partial L}{\partial Z_2}\, W_2 \\
#   \frac{\partial L}{\partial W_1} &= \left(\frac{\partial L}{\partial Z_1}\right)^{\!\top} X &
#   \frac{\partial L}{\partial b_1} &= \sum_b \left(\frac{\partial L}{\partial Z_1}\right)_b &
#   \frac{\partial L}{\partial Z_1} &= \frac{\partial L}{\partial H} \odot [Z_1 > 0]
# \end{aligned}$$
#
# Here $\odot$ multiplies entry by entry, and $[Z_1 > 0]$, the slope of ReLU, is $1$ where the unit is on
# and $0$ elsewhere. Our network has 64 pixels, 48 hidden neurons and 10 classes. Because these sizes are
# all different, each product fits in one way only, which is a good way to remember the formulas (with 64
# hidden neurons a wrong transpose could go unnoticed).


# %%
class MLP:
    """A two-layer network with ReLU; its numbers are in the dictionary `parameters`."""

    def __init__(self, n_in, n_hidden, n_out, rng, dtype=np.float64):
        if min(n_in, n_hidden, n_out) < 1:
            raise ValueError(f"each layer needs at least one neuron, got {n_in}, {n_hidden}, {n_out}")
        self.parameters = {}
        for layer, (rows, columns) in enumerate(((n_hidden, n_in), (n_out, n_hidden)), start=1):
            bound = 1 / math.sqrt(columns)  # as PyTorch does; lesson 6.5 gives the reason
            weight = rng.uniform(-bound, bound, size=(rows, columns))
            bias = rng.uniform(-bound, bound, size=rows)
            self.parameters[f"weight{layer}"] = weight.astype(dtype)
            self.parameters[f"bias{layer}"] = bias.astype(dtype)

    def forward(self, x):
        """Logits, (B, n_in) -> (B, n_out); raises ValueError if x has another shape."""
        p = self.parameters
        if x.ndim != 2 or x.shape[1] != p["weight1"].shape[1]:
            raise ValueError(f"x has shape {x.shape}, the first weight {p['weight1'].shape}")
        self.x = x
        self.hidden = np.maximum(x @ p["weight1"].T + p["bias1"], 0)  # (B, n_in) @ (n_in, H) -> (B, H)
        return self.hidden @ p["weight2"].T + p["bias2"]  # (B, H) @ (H, n_out) -> (B, n_out)

    def backward(self, grad_z2):
        """Gradients of all parameters, from the gradient at the logits of the last forward, (B, n_out)."""
        grad_hidden = grad_z2 @ self.parameters["weight2"]  # (B, n_out) @ (n_out, H) -> (B, H)
        grad_z1 = grad_hidden * (self.hidden > 0)  # (B, H)
        return {
            "weight1": grad_z1.T @ self.x,  # (H, B) @ (B, n_in) -> (H, n_in)
            "bias1": grad_z1.sum(axis=0),
            "weight2": grad_z2.T @ self.hidden,  # (n_out, B) @ (B, H) -> (n_out, H)
            "bias2": grad_z2.sum(axis=0),
        }


# %% [markdown]
# The loss is cross-entropy from logits, and its gradient is probability minus target over $B$ (5.5). NumPy
# would read a label of $-1$ as the last class, so labels are checked before they are used as an index. If
# everything is right, the paper example must come out as above.


# %%
def cross_entropy(logits, labels):
    """Mean of -ln(probability of the true class) (nats), and its gradient (B, K) at the logits.

    logits: (B, K), labels: (B,) of whole numbers 0 to K - 1; raises ValueError for anything else.
    """
    n_examples, n_classes = logits.shape
    if labels.shape != (n_examples,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"logits {logits.shape} need {n_examples} whole labels, got {labels.shape} {labels.dtype}"
        )
    if n_examples == 0 or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels must be from 0 to {n_classes - 1}, got {np.unique(labels)}")
    rows = np.arange(n_examples)
    shifted = logits - logits.max(axis=1, keepdims=True)  # the largest becomes 0, so none overflows
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (B, K)
    grad_z = np.exp(log_probabilities)  # (B, K): the probabilities
    grad_z[rows, labels] -= 1
    return float(-np.mean(log_probabilities[rows, labels])), grad_z / n_examples


paper = MLP(1, 1, 2, rng)
paper.parameters = {
    "weight1": np.array([[1.0]]),
    "bias1": np.zeros(1),
    "weight2": np.array([[math.log(3)], [0.0]]),
    "bias2": np.zeros(2),
}
loss, grad_z = cross_entropy(paper.forward(np.array([[1.0]])), np.array([1]))
gradients = paper.backward(grad_z)
print(f"loss {loss:.4f}, weight1 {gradients['weight1'][0, 0]:.4f}, weight2 {gradients['weight2'][:, 0]}")
np.testing.assert_allclose(loss, math.log(4))
np.testing.assert_allclose(gradients["weight2"], [[3 / 4], [-3 / 4]])

# %% [markdown]
# ## The gradient check
#
# One example with one neuron proves little, so we take the network of full size and measure the slope
# along every single parameter by a central difference (2.3). That takes two forward passes for each of the
# parameters, too slow for training, but right for a test.


# %%
def measured_gradients(model, x, labels, h=1e-6):
    """Central differences of the loss along every parameter, one by one; use float64."""
    gradients = {}
    for name, values in model.parameters.items():
        gradients[name] = np.empty_like(values)
        for index in np.ndindex(values.shape):
            original = values[index]
            values[index] = original + h
            above, _ = cross_entropy(model.forward(x), labels)
            values[index] = original - h
            below, _ = cross_entropy(model.forward(x), labels)
            values[index] = original
            gradients[name][index] = (above - below) / (2 * h)
    return gradients


n_hidden = 48
model = MLP(64, n_hidden, 10, rng)
few_x = images[train[:5]]  # (5, 64)
few_y = labels[train[:5]]  # (5,)
measured = measured_gradients(model, few_x, few_y)
_, grad_z = cross_entropy(model.forward(few_x), few_y)
gradients = model.backward(grad_z)
gradient_gaps = {name: np.max(np.abs(gradients[name] - measured[name])) for name in gradients}
print(f"{'parameter':20s}{'numbers':>12s}{'largest gap':>16s}")
for name, gap in gradient_gaps.items():
    print(f"{name:20s}{gradients[name].size:12d}{gap:16.1e}")
for name, gap in gradient_gaps.items():
    assert gradients[name].shape == model.parameters[name].shape, f"{name}: the gradient has another shape"
    assert gap < 1e-8, f"{name}: the gradient is not the measured slope"

# %% [markdown]
# All gaps are as small as the rounding errors of the measurement. (If a unit's score lay within $h$ of
# zero, the measurement would step over ReLU's corner and one number would be off, but with $h$ this small
# that is rare.)
#
# ## Training
#
# We train by mini-batch SGD (3.3): shuffle, cut into batches, and after each batch take a step against the
# gradient. Because nobody knows beforehand which learning rate is best, we try several from the same start
# and let the validation digits choose.


# %%
def training_step(model, x, y, learning_rate):
    """One step of SGD on the batch x (B, n_in), y (B,); returns the loss before it."""
    loss, grad_z = cross_entropy(model.forward(x), y)
    for name, gradient in model.backward(grad_z).items():
        model.parameters[name] -= learning_rate * gradient
    return loss


def run_epoch(model, x, y, learning_rate, batch_size, rng):
    """One pass over x (n, n_in), y (n,) in shuffled batches; returns the loss of each batch.

    The last batch may be smaller. Raises ValueError if batch_size is below one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    order = rng.permutation(len(x))
    losses = []
    for batch in np.split(order, range(batch_size, len(x), batch_size)):
        losses.append(training_step(model, x[batch], y[batch], learning_rate))
    return losses


def evaluate(model, x, y):
    """Loss (nats) and accuracy on x, y."""
    logits = model.forward(x)
    return cross_entropy(logits, y)[0], float(np.mean(logits.argmax(axis=1) == y))


# %%
n_epochs = 40
batch_size = 32
models = {}  # learning rate -> the trained model
histories = {}  # learning rate -> (n_epochs, 4): training loss and accuracy, validation loss and accuracy
print(f"{'learning rate':20s}{'train loss':>12s}{'val. loss':>12s}{'val. accuracy':>16s}")
for learning_rate in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
    model = MLP(64, n_hidden, 10, np.random.default_rng(1))
    shuffle_rng = np.random.default_rng(2)
    history = []
    for _ in range(n_epochs):
        run_epoch(model, images[train], labels[train], learning_rate, batch_size, shuffle_rng)
        on_train = evaluate(model, images[train], labels[train])
        on_validation = evaluate(model, images[validation], labels[validation])
        history.append((*on_train, *on_validation))
    models[learning_rate] = model
    histories[learning_rate] = np.array(history)
    print(f"{learning_rate:<20}{history[-1][0]:12.4f}{history[-1][2]:12.4f}{history[-1][3]:16.1%}")

best_rate = max(histories, key=lambda rate: histories[rate][-1, 3])
model = models[best_rate]
test_loss, test_accuracy = evaluate(model, images[test], labels[test])
print(f"chosen: {best_rate}; on the test digits: loss {test_loss:.4f}, accuracy {test_accuracy:.1%}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
epochs = np.arange(1, n_epochs + 1)
history = histories[best_rate]
for column, name, style in ((0, "training", "-"), (2, "validation", "--")):
    left.semilogy(epochs, history[:, column], style, label=name)
    right.plot(epochs, 100 * history[:, column + 1], style, label=name)
left.set(xlabel="epoch", ylabel="loss (nats)", title=f"Loss at the learning rate {best_rate}")
right.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
right.set_ylim(min(80, 100 * history[:, [1, 3]].min()), 101)
left.legend()
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# Both losses fall quickly during the first epochs, but then they part. The training loss goes on falling
# towards zero, and nearly all training digits are read correctly, while the validation loss levels off. So
# what the network still learns helps it with the digits that it has seen, and hardly with others. This gap
# is called overfitting (1.2), and chapter 8 is about it. With the smallest rate the training loss is still
# far from that after these epochs, and the largest rate ruins the network. On the test set between one
# digit in twenty and one in forty is misread, depending on how the digits are divided. (This division, with
# about one in forty, is the luckiest of five that we tried.)
#
# ## Where it fails
#
# The confusion matrix (3.4) counts, for every true digit in its row, what the network read. Beside it stand
# the first of the mistakes. Which of them would you have misread, too, at 8 × 8 pixels?

# %%
read = model.forward(images[test]).argmax(axis=1)  # (697, 10) -> (697,)
# each pair of true digit and answer has a number from 0 to 99; these are counted and laid out in rows of ten
confusion = np.bincount(10 * labels[test] + read, minlength=100).reshape(10, 10)  # (100,) -> (10, 10)
wrong = test[read != labels[test]]  # indices into images
wrong_answers = read[read != labels[test]]
mistakes = [f"{labels[i]} as {answer}" for i, answer in zip(wrong, wrong_answers)]
print(f"{len(mistakes)} mistakes: " + ", ".join(mistakes))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.imshow(np.log1p(confusion), cmap="viridis")
for truth, answer in np.argwhere(confusion):
    count = confusion[truth, answer]
    color = "black" if count > confusion.max() / 4 else "white"
    left.text(answer, truth, count, ha="center", va="center", fontsize=8, color=color)
left.set(xlabel="read as", ylabel="true digit", xticks=range(10), yticks=range(10), title="Test digits")
right.set(title="Mistakes: true digit, and what was read")
right.axis("off")
for place, (i, answer) in enumerate(list(zip(wrong, wrong_answers))[:8]):
    inset = right.inset_axes((0.25 * (place % 4), 0.5 - 0.5 * (place // 4), 0.23, 0.4))
    inset.imshow(images[i].reshape(8, 8), cmap="gray_r")  # (64,) -> (8, 8)
    inset.set(xticks=[], yticks=[], title=f"{labels[i]}, {answer}")
plt.show()

# %% [markdown]
# Nearly all counts lie on the diagonal, and no pair of digits is confused more than three times here (on
# two of four other divisions one was).
#
# ## What the hidden neurons look for
#
# A hidden neuron has one weight for each pixel, so its weights can be drawn as a picture: blue where ink
# raises its score, red where ink lowers it. We draw the twenty neurons with the largest output weights.
# The number under each is the digit whose logit it raises most.

# %%
weight1 = model.parameters["weight1"]  # (48, 64)
weight2 = model.parameters["weight2"]  # (10, 48)
strongest = np.argsort(-np.linalg.norm(weight2, axis=0))[:20]  # (10, 48) -> (48,) -> (20,)
fig, axes = plt.subplots(2, 10, figsize=(10, 2.8), layout="constrained")
limit = np.abs(weight1).max()
for ax, neuron in zip(axes.flat, strongest):
    picture = weight1[neuron].reshape(8, 8)  # (64,) -> (8, 8)
    shown = ax.imshow(picture, cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"for {weight2[:, neuron].argmax()}", fontsize=8)
fig.colorbar(shown, ax=axes, label="weight")
plt.show()

start = MLP(64, n_hidden, 10, np.random.default_rng(1)).parameters["weight1"]  # (48, 64): before training
likeness = {}  # name -> correlation of the weights of pixels that lie side by side
for name, weights in {"before training": start, "after training": weight1}.items():
    pictures = weights.reshape(-1, 8, 8)  # (48, 64) -> (48, 8, 8)
    likeness[name] = float(np.corrcoef(pictures[:, :, :-1].ravel(), pictures[:, :, 1:].ravel())[0, 1])
    print(f"correlation of weights side by side, {name}: {likeness[name]:.2f}")
blank = np.all(images[train] == 0, axis=0)  # (64,): pixels without ink in all training digits
change = np.abs(weight1 - start).mean(axis=0)  # (48, 64) -> (64,)
print(f"{blank.sum()} pixels without ink: mean change of their weights {change[blank].mean():.1e}")
print(f"the other pixels: {change[~blank].mean():.3f}")

# %% [markdown]
# Each neuron has pixels where ink raises its score and others where ink lowers it. Random weights have
# both signs, too, but before training pixels side by side have nothing in common. After it their weights
# are alike (a correlation of about a third), so that areas of one sign can be seen. At the left and right
# border the weights are pale. Where no training digit has ink, the input is zero, so the gradient of the
# weight is zero, and the weight is still the small random number that it was drawn as.
#
# ## The same in PyTorch
#
# `nn.Sequential` is the network, `F.cross_entropy` the loss, and `loss.backward()` computes the six
# gradients. We copy our starting weights, feed the same batches in the same order, and compare the loss at
# every step.

# %%
ours = MLP(64, n_hidden, 10, np.random.default_rng(1))
network = nn.Sequential(nn.Linear(64, n_hidden), nn.ReLU(), nn.Linear(n_hidden, 10)).double()
with torch.no_grad():
    for parameter, values in zip(network.parameters(), ours.parameters.values(), strict=True):
        parameter.copy_(torch.from_numpy(values))
optimizer = torch.optim.SGD(network.parameters(), lr=best_rate)

losses = []
torch_losses = []
for _ in range(5):
    order = rng.permutation(train)
    for batch in np.split(order, range(batch_size, len(order), batch_size)):
        losses.append(training_step(ours, images[batch], labels[batch], best_rate))
        logits = network(torch.from_numpy(images[batch]))  # (B, 64) -> (B, 10)
        torch_loss = F.cross_entropy(logits, torch.from_numpy(labels[batch]))
        optimizer.zero_grad()
        torch_loss.backward()
        optimizer.step()
        torch_losses.append(torch_loss.item())
largest = max(abs(our - their) for our, their in zip(losses, torch_losses, strict=True))
print(f"{len(losses)} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}, largest difference {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# ## Clothes, as a team writes it
#
# From here on PyTorch computes the gradients, and the same kind of network, as an `nn.Module` (4.3) in the
# training cycle of lesson 4.4, reads the 28 × 28 pictures of clothes of Fashion-MNIST. The cycle has all
# that belongs to it: a `DataLoader` that shuffles, `train()` and `eval()`, a `device`, a scheduler that
# lowers the learning rate after each epoch, and a checkpoint of the best epoch.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")

with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

generator = torch.Generator().manual_seed(0)
fit_set = TensorDataset(train_images[:4000], train_labels[:4000])
valid_set = TensorDataset(train_images[4000:], train_labels[4000:])
fit_loader = DataLoader(fit_set, batch_size=64, shuffle=True, generator=generator)
valid_loader = DataLoader(valid_set, batch_size=500)
test_loader = DataLoader(TensorDataset(test_images, test_labels), batch_size=500)


class ClothesMLP(nn.Module):
    """Logits (B, 10) from pictures (B, 28, 28), with one hidden layer."""

    def __init__(self, n_hidden):
        super().__init__()
        self.hidden = nn.Linear(28 * 28, n_hidden)
        self.out = nn.Linear(n_hidden, 10)

    def forward(self, x):
        x = x.flatten(start_dim=1)  # (B, 28, 28) -> (B, 784)
        return self.out(F.relu(self.hidden(x)))  # (B, 784) -> (B, n_hidden) -> (B, 10)


def train_epoch(network, loader, optimizer):
    """One pass of SGD over the loader; returns the mean loss of an example, each before its step."""
    network.train()
    total = 0.0
    for x, y in loader:
        loss = F.cross_entropy(network(x.to(device)), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
    return total / len(loader.dataset)


@torch.no_grad()
def evaluate_clothes(network, loader):
    """Mean loss of an example, and the confusion matrix (10, 10) with the true classes in its rows."""
    network.eval()
    total = 0.0
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for x, y in loader:
        logits = network(x.to(device)).cpu()  # (B, 10)
        total += F.cross_entropy(logits, y, reduction="sum").item()
        confusion += torch.bincount(10 * y + logits.argmax(dim=1), minlength=100).view(10, 10)
    return total / len(loader.dataset), confusion


# %%
torch.manual_seed(0)
clothes_network = ClothesMLP(128).to(device)
optimizer = torch.optim.SGD(clothes_network.parameters(), lr=0.3)
n_clothes_epochs = 20
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_clothes_epochs)
clothes_history = []  # training loss, validation loss, validation accuracy of each epoch
with tempfile.TemporaryDirectory() as folder:
    checkpoint = Path(folder) / "best.pt"
    for epoch in range(1, n_clothes_epochs + 1):
        train_loss = train_epoch(clothes_network, fit_loader, optimizer)
        scheduler.step()
        valid_loss, counts = evaluate_clothes(clothes_network, valid_loader)
        valid_accuracy = (counts.trace() / counts.sum()).item()
        if all(valid_accuracy > accuracy for _, _, accuracy in clothes_history):
            torch.save(clothes_network.state_dict(), checkpoint)
        clothes_history.append((train_loss, valid_loss, valid_accuracy))
        if epoch % 4 == 0:
            on_validation = f"validation {valid_loss:.4f}, {valid_accuracy:.1%}"
            print(f"epoch {epoch:3d}   loss {train_loss:.4f}   {on_validation}")
    clothes_network.load_state_dict(torch.load(checkpoint, weights_only=True, map_location=device))
clothes_loss, clothes_confusion = evaluate_clothes(clothes_network, test_loader)
clothes_accuracy = (clothes_confusion.trace() / clothes_confusion.sum()).item()
recalls = (clothes_confusion.diagonal() / clothes_confusion.sum(dim=1)).numpy()  # (10,)
print(f"test set, with the best epoch's weights: loss {clothes_loss:.4f}, accuracy {clothes_accuracy:.1%}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
curves = np.array(clothes_history)  # (epochs, 3)
left.plot(np.arange(1, len(curves) + 1), curves[:, 0], "-", label="training")
left.plot(np.arange(1, len(curves) + 1), curves[:, 1], "--", label="validation")
left.set(xlabel="epoch", ylabel="loss (nats)", title="Clothes: loss")
left.legend()
right.barh(np.arange(10), recalls, color="C0")
right.set(yticks=range(10), yticklabels=CLASSES, xlabel="share read correctly (recall)", xlim=(0, 1))
right.set_title("Test pictures, by class")
right.invert_yaxis()
plt.show()

# %% [markdown]
# The same gap opens as with the digits, though less widely, probably because there are more pictures and
# fewer epochs. The network is right on more than four of five test pictures (with two other starts, too).
# Trousers, bags and shoes are easy, and shirts are by far the hardest class. Most shirts that are misread
# are read as T-shirts, pullovers or coats, which have nearly the same outline. This network does not know
# which pixels are neighbours, and chapter 9 builds networks that do.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
np.testing.assert_allclose(paper.backward(np.array([[0.75, -0.75]]))["weight1"], [[3 / 4 * math.log(3)]])
assert 0.96 < test_accuracy < 0.985, "on this test set about one digit in forty is misread"
rates = sorted(histories)
assert rates[0] < best_rate < rates[-1], "the best rate is not at the edge of the grid"
assert histories[3.0][-1, 3] < 0.5, "the largest rate ruins the network"
assert histories[0.01][-1, 0] > 5 * history[-1, 0], "with the smallest rate the loss is still far higher"
assert history[-1, 0] < 0.3 * history[-1, 2], "training loss falls far below validation loss"
assert history[-1, 1] > 0.99 > history[-1, 3], "nearly all training digits are read, fewer of the others"
assert np.all(confusion.argmax(axis=1) == np.arange(10)), "each digit is mostly read as itself"
off_diagonal = confusion[~np.eye(10, dtype=bool)]
assert off_diagonal.max() <= 3, "no pair is confused more than three times"
has_both_signs = (weight1.min(axis=1) < 0) & (weight1.max(axis=1) > 0)  # (48,)
assert has_both_signs.all(), "each neuron has weights of both signs"
assert abs(likeness["before training"]) < 0.1, "before training, weights side by side are unrelated"
assert 0.2 < likeness["after training"] < 0.6, "after training they are alike"
assert blank.any() and np.all(change[blank] == 0), "where no digit has ink, weights stay as drawn"
assert np.all(change[~blank] > 0), "all other weights have moved"
assert clothes_accuracy > 0.8, "more than four of five test pictures of clothes are read correctly"
assert recalls.argmin() == CLASSES.index("shirt"), "shirts are the hardest class"
for name in ("trouser", "bag", "sneaker", "boot"):
    assert recalls[CLASSES.index(name)] > 0.85, f"{name}: easy"
confused = clothes_confusion[CLASSES.index("shirt")]
upper_body = sum(int(confused[CLASSES.index(name)]) for name in ("T-shirt", "pullover", "coat"))
assert upper_body > 0.6 * int(confused.sum() - confused[CLASSES.index("shirt")]), "most are other tops"
assert curves[-1, 0] < curves[-1, 1], "with clothes, too, the training loss falls below the validation loss"

# %% [markdown]
# ## Going further
#
# This part can be skipped. (PyTorch's way of saving was in lesson 4.3.)
#
# ### Save and load without PyTorch
#
# All that training has produced is a few thousand numbers. `np.savez` writes them to a file under their
# names, and a new network that loads them must answer as the old one did, to the last bit.


# %%
def save(model, path):
    """Write the parameters to an .npz file."""
    np.savez(path, **model.parameters)


def load(model, path):
    """Read parameters written by `save`; raises ValueError if names or shapes are not this model's."""
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
    other = MLP(64, n_hidden, 10, rng)
    load(other, path)
    n_numbers = sum(values.size for values in other.parameters.values())
    print(f"{path.name}: {path.stat().st_size:,} bytes for {n_numbers:,} numbers")
np.testing.assert_array_equal(other.forward(images[test]), model.forward(images[test]))

# %% [markdown]
# The answers are equal. The file needs eight bytes for each number, and a little for their names.
#
# ## What to remember
#
# - A network is its parameters, a forward pass and a backward pass; training is batches, a loss and steps.
# - Each gradient of a layer is a matrix product. If all sizes differ, the shapes fit in one way only.
# - A central difference along every parameter says whether a backward pass is right. Do it in float64.
# - Training data for the weights, validation data for choices, test data once.
# - PyTorch computes the same numbers, step by step. From the next chapter on we let it, after we have seen
#   how.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Forget the slope of ReLU: change `grad_z1 = grad_hidden * (self.hidden > 0)` to `grad_z1 =
#    grad_hidden`. Which of the four rows of the gradient check will be wrong, and which will still be
#    right?
# 2. Let all weights and biases start at zero: `bound = 0.0`. Which parameters get a gradient in the first
#    step, and what can the network learn then? Look at the table of the learning rates and the first
#    figure.
# 3. From a blank cell at the end: train on the digits with their training labels shuffled, at the rate
#    $0.3$ and for four times as many epochs. What happens to the training loss, and to the validation
#    accuracy? Compare with the first figure.
#
# ## Sources
#
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   _Nature_ 323, 1986.
# - Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient backprop", 1998: mini-batches, shuffling,
#   starting weights.
# - H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
#   algorithms", 2017: the clothes. Reproduced: "shirts are the hardest class".
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the digits.
