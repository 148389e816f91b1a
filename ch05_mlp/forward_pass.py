# %% [markdown]
# # 5.4 The forward pass: from single neurons to one matrix product
#
# A network is an assembly line. Each station looks at everything the last one made, makes its own few
# numbers, and hands them on. Seen up close it is a great many small sums; seen from above it is a handful
# of matrix products. They are the same sums.
#
# **You will build** the same network four times, from loops to `nn.Sequential`, count its parameters and
# its arithmetic, and follow one handwritten digit through every neuron. **You need** matrix products
# (2.2), `nn.Module` (4.3) and activations (5.2).

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two inputs, two hidden neurons with ReLU, one output: a *multilayer perceptron*, or MLP. For
# $x = (1, 2)$ the first hidden neuron, with weights $(3, -1)$ and bias $0$, gives $3 - 2 = 1$. The
# second, with $(1, -2)$ and $1$, gives $1 - 4 + 1 = -2$, which ReLU makes $0$. The output neuron, with
# $(2, 5)$ and bias $-1$, answers $2 + 0 - 1 = 1$.

# %%
x = [1.0, 2.0]
hidden = [max(0.0, 3 * x[0] - 1 * x[1] + 0), max(0.0, 1 * x[0] - 2 * x[1] + 1)]
out = 2 * hidden[0] + 5 * hidden[1] - 1
print(f"hidden {hidden}   out {out}")
assert hidden == [1.0, 0.0] and out == 1.0

# %% [markdown]
# ## A layer is a matrix
#
# Write the weights of each neuron in a row, and a layer's weights are a matrix $W$ of shape (neurons,
# inputs). Neuron $j$ computes
#
# $$z_j = \sum_i W_{ji}\, x_i + b_j, \qquad h_j = \max(0, z_j) .$$
#
# A *batch* is several examples at once, a row each. Loops say it most plainly: for each example, for each
# neuron, for each input.


# %%
def layer_loops(x, weight, bias):
    """x Wᵀ + b in plain loops; x: (B, n_in), weight: (n_out, n_in), bias: (n_out,); returns (B, n_out)."""
    out = np.empty((len(x), len(weight)), dtype=x.dtype)
    for example in range(len(x)):
        for neuron in range(len(weight)):
            total = bias[neuron]
            for i in range(len(weight[neuron])):
                total += weight[neuron, i] * x[example, i]
            out[example, neuron] = total
    return out


def forward_loops(x, layers):
    """Scores of an MLP, one neuron after the other; layers: a list of (weight, bias)."""
    for weight, bias in layers[:-1]:
        x = np.maximum(layer_loops(x, weight, bias), 0)
    return layer_loops(x, *layers[-1])


layers = [
    (np.array([[3.0, -1.0], [1.0, -2.0]]), np.array([0.0, 1.0])),  # (2, 2), (2,)
    (np.array([[2.0, 5.0]]), np.array([-1.0])),  # (1, 2), (1,)
]
print("the paper example:", forward_loops(np.array([[1.0, 2.0]]), layers))
assert forward_loops(np.array([[1.0, 2.0]]), layers) == [[1.0]]

# %% [markdown]
# ## The same, faster
#
# The two inner loops are a matrix times a vector. With the outer one, over the examples, they are a matrix
# times a matrix:
#
# $$Z = X W^\top + b \qquad (B, n_\text{in})\, (n_\text{in}, n_\text{out}) \to (B, n_\text{out}) .$$
#
# The last layer stays linear: its outputs are *logits*, scores that a loss will turn into probabilities
# (5.5). A product of mismatched shapes raises an error by itself, but a bias of the wrong shape
# broadcasts without a word, so we check it.


# %%
def forward(x, layers):
    """Scores of an MLP, (B, n_in) -> (B, n_out), ReLU after all layers but the last.

    layers: a list of (weight, bias), (n_out, n_in) and (n_out,). Raises ValueError where they do not chain.
    """
    for i, (weight, bias) in enumerate(layers):
        if x.ndim != 2 or x.shape[1:] != weight.shape[1:] or bias.shape != weight.shape[:1]:
            raise ValueError(f"layer {i}: input {x.shape}, weight {weight.shape}, bias {bias.shape}")
        x = x @ weight.T + bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)
        if i < len(layers) - 1:
            x = np.maximum(x, 0)
    return x


sizes = (64, 32, 16, 10)
layers = [
    (rng.uniform(-1, 1, size=(n_out, n_in)) / np.sqrt(n_in), rng.uniform(-1, 1, size=n_out) / np.sqrt(n_in))
    for n_in, n_out in zip(sizes, sizes[1:])
]
x = rng.normal(size=(5, 64))
print("shapes:", x.shape, *[weight.shape for weight, _ in layers], "->", forward(x, layers).shape)
np.testing.assert_allclose(forward(x, layers), forward_loops(x, layers), rtol=1e-10, atol=1e-12)

# %% [markdown]
# A batch is nothing but its examples: each row of the output depends on its own row of the input and no
# other. And the order of the hidden neurons has no meaning: shuffle them, with their outgoing weights,
# and nothing changes.

# %%
one_by_one = np.concatenate([forward(row[None, :], layers) for row in x])  # 5 × (1, 64) -> (5, 10)
np.testing.assert_allclose(forward(x, layers), one_by_one, rtol=1e-10, atol=1e-12)

(weight1, bias1), (weight2, bias2), last = layers
order = rng.permutation(32)
shuffled = [(weight1[order], bias1[order]), (weight2[:, order], bias2), last]
np.testing.assert_allclose(forward(x, layers), forward(x, shuffled), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## A class that keeps its numbers together
#
# The weights belong to the network, so an object should hold them. Ours draws them evenly from
# $\pm 1 / \sqrt{n_\text{in}}$ (why that size: lesson 6.5), runs forward, keeps every layer's output for
# us to look at, and counts.
#
# A layer has $n_\text{out} n_\text{in}$ weights and $n_\text{out}$ biases. Each weight takes one
# multiplication and one addition for every example: $2\, n_\text{out} n_\text{in}$ operations, biases
# included, since a sum of $n$ products and a bias has $n$ additions.


# %%
class MLP:
    """Layers of sizes[0] -> … -> sizes[-1], ReLU between them."""

    def __init__(self, sizes, rng, dtype=np.float64):
        self.layers = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            bound = 1 / np.sqrt(n_in)
            weight = rng.uniform(-bound, bound, size=(n_out, n_in)).astype(dtype)
            self.layers.append((weight, rng.uniform(-bound, bound, size=n_out).astype(dtype)))

    def __call__(self, x):
        """Logits, (B, sizes[0]) -> (B, sizes[-1]); every layer's output stays in `self.outputs`."""
        self.outputs = []
        for i, layer in enumerate(self.layers):
            x = forward(x, [layer])
            if i < len(self.layers) - 1:
                x = np.maximum(x, 0)
            self.outputs.append(x)
        return x

    def n_parameters(self):
        return sum(weight.size + bias.size for weight, bias in self.layers)

    def n_operations(self, batch_size):
        """Multiplications and additions of one forward pass; the comparisons of ReLU not counted."""
        return 2 * batch_size * sum(weight.size for weight, _ in self.layers)


model = MLP(sizes, rng)
np.testing.assert_allclose(model(x), forward(x, model.layers), rtol=1e-10, atol=1e-12)
assert MLP((2, 2, 1), rng).n_parameters() == 4 + 2 + 2 + 1 and MLP((2, 2, 1), rng).n_operations(1) == 2 * 6

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Sequential` chains `nn.Linear` layers, which store weight and bias in the same shapes as ours. We
# build it from the sizes, train it on digits in the loop of lesson 4.4, and copy its weights into
# our class: from here on all four forms are the same, trained network.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(images))
train, test = order[:1400], order[1400:]

network = nn.Sequential(
    nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10)
).double()
optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
inputs, targets = torch.from_numpy(images[train]), torch.from_numpy(labels[train])  # (1400, 64), (1400,)
for epoch in range(15):
    for batch in torch.randperm(len(inputs)).split(32):
        loss = F.cross_entropy(network(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 3 == 2:
        print(f"epoch {epoch + 1:2d}   loss of the last batch {loss.item():.4f}")

# %%
linears = [module for module in network if isinstance(module, nn.Linear)]
model.layers = [(linear.weight.detach().numpy(), linear.bias.detach().numpy()) for linear in linears]
x = images[test][:64]  # (64, 64): a batch of 64 digits
with torch.no_grad():
    torch_logits = network(torch.from_numpy(x)).numpy()  # (64, 64) -> (64, 10)
forms = {
    "loops": lambda: forward_loops(x, model.layers),
    "matrix products": lambda: forward(x, model.layers),
    "class MLP": lambda: model(x),
}
for name, form in forms.items():
    largest = np.max(np.abs(form() - torch_logits))
    print(f"{name:20s}largest difference from PyTorch {largest:.1e}")
    np.testing.assert_allclose(form(), torch_logits, rtol=1e-10, atol=1e-12)

counted = sum(p.numel() for p in network.parameters())
test_accuracy = np.mean(model(images[test]).argmax(axis=1) == labels[test])
print(f"parameters: ours {model.n_parameters()}, PyTorch's {counted}   test accuracy {test_accuracy:.1%}")
assert model.n_parameters() == counted and test_accuracy > 0.9

# %% [markdown]
# ## What the forms cost
#
# All four do the same number of operations. Divided by the time, that gives *FLOP/s*, floating-point
# operations a second, the measure of how well a form uses the machine. Loops pay Python's price for every
# single product. The matrix forms pay it once a layer, so a larger batch gives them more arithmetic for
# the same price.


# %%
def best_seconds(f, n_rounds=5):
    """The shortest of a few runs of f()."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)


batches = {1: images[test][:1], 64: images[test][:64], 1797: images}
print(f"{'GFLOP/s':20s}" + "".join(f"{f'batch {n}':>12s}" for n in batches))
speed = {"loops": [], "matrix products": [], "class MLP": [], "nn.Sequential": []}
for n, x in batches.items():
    few, tensor = x[:64], torch.from_numpy(x)  # loops get few examples: more would take seconds
    with torch.no_grad():
        seconds = {
            "loops": best_seconds(lambda x=few: forward_loops(x, model.layers), n_rounds=1),
            "matrix products": best_seconds(lambda x=x: forward(x, model.layers)),
            "class MLP": best_seconds(lambda x=x: model(x)),
            "nn.Sequential": best_seconds(lambda x=tensor: network(x)),
        }
    for name in speed:
        n_examples = len(few) if name == "loops" else n
        speed[name].append(model.n_operations(n_examples) / seconds[name] / 1e9)
for name, row in speed.items():
    print(f"{name:20s}" + "".join(f"{value:12.3g}" for value in row))

# %% [markdown]
# ## One digit on its way
#
# Here is every number that one digit becomes: pixels, hidden outputs, logits, and after a softmax (5.2)
# probabilities. Many hidden neurons are silent, because ReLU has cut off their negative score. Which of
# them speak is how the network tells digits apart.

# %%
one = images[test][3:4]  # (1, 64)
logits = model(one)  # (1, 64) -> (1, 10)
probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()  # (1, 10)
stages = [one, *model.outputs[:2], logits, probabilities]
silent = [float(np.mean(stage == 0)) for stage in model.outputs[:2]]
print(f"a {labels[test][3]}, read as {logits.argmax()} with probability {probabilities.max():.3f}")
print(f"silent hidden neurons: {silent[0]:.0%} of the first layer, {silent[1]:.0%} of the second")
assert logits.argmax() == labels[test][3] and min(silent) > 0.1

# %%
fig, axes = plt.subplots(1, 5, figsize=(14, 3.6), layout="constrained", width_ratios=(1.6, 1, 1, 1, 1))
axes[0].imshow(one.reshape(8, 8), cmap="gray_r")  # (1, 64) -> (8, 8)
axes[0].set(title="64 pixels", xticks=[], yticks=[])
titles = ("32 hidden", "16 hidden", "10 logits", "10 probabilities")
for ax, stage, title in zip(axes[1:], stages[1:], titles):
    colors = ["C1" if value == stage.max() else "C0" for value in stage[0]]
    ax.barh(np.arange(stage.size), stage[0], color=colors)
    ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(title=title, ylabel="neuron", ylim=(stage.size - 0.5, -0.5))
for ax in axes[3:]:
    ax.set(ylabel="digit", yticks=range(10))
fig.suptitle("Fewer numbers at each layer, until one stands out")
plt.show()

# %% [markdown]
# ## Which neurons speak for which digit
#
# Averaged over the test digits of a class, each layer has a pattern for each digit. How alike are two of
# them? Their *cosine* is $1$ for parallel patterns and $0$ for perpendicular ones. All digits share the
# ink in the middle, so their pixels are alike; the hidden neurons are less impressed by what all have in
# common.

# %%
logits = model(images[test])  # (397, 64) -> (397, 10)
patterns, likeness = [], []
for stage in (images[test], *model.outputs[:2]):
    means = np.stack([stage[labels[test] == digit].mean(axis=0) for digit in range(10)])  # (10, D)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    cosines = unit @ unit.T  # (10, D) @ (D, 10) -> (10, 10)
    patterns.append(means)
    likeness.append(float(cosines[~np.eye(10, dtype=bool)].mean()))
print(
    "mean cosine between two digits: pixels {:.2f}, first layer {:.2f}, second layer {:.2f}".format(*likeness)
)
assert max(likeness[1:]) < likeness[0] - 0.1

# %%
fig, axes = plt.subplots(
    1, 3, figsize=(14, 3.6), layout="constrained", sharey=True, width_ratios=(64, 32, 16)
)
for ax, means, title, cosine in zip(axes, patterns, ("pixels", "first hidden layer", "second"), likeness):
    shown = ax.imshow(means / means.max(), cmap="viridis", aspect="auto")
    ax.set(title=f"{title}, cosine {cosine:.2f}", xlabel="neuron", yticks=range(10))
axes[0].set(ylabel="digit", xlabel="pixel")
fig.colorbar(shown, ax=axes, label="mean output / largest")
fig.suptitle("Digits look less alike to hidden neurons than in pixels")
plt.show()

# %% [markdown]
# ## What to remember
#
# - A neuron is a row of weights, a layer a matrix, a batch of inputs another: $X W^\top + b$, then the
#   bend.
# - Write the shapes beside the products. Rows are examples, columns are features, everywhere.
# - A layer has $n_\text{out}(n_\text{in} + 1)$ parameters and takes $2\, n_\text{out} n_\text{in}$
#   operations an example.
# - The same arithmetic can be slow or fast: what counts is how much of it each call does.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. How many parameters has $64 \to 128 \to 10$, and how many has $64 \to 64 \to 64 \to 10$?
# 2. Set one weight of the first layer to zero. How many of the ten logits change?
# 3. Give the network a digit turned upside down. Which neurons speak now, and what does it read?
#
# ## Sources
#
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, sections 6.1 and 6.4.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data.
