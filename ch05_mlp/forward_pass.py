# %% [markdown]
# # 5.4 The forward pass: from single neurons to one matrix product
#
# A handwritten digit goes into a network as 64 grey values, and ten numbers come out, one for each class.
# What happens in between? Each layer takes all the numbers of the layer before it, computes its own numbers
# from them, and passes these on to the next. Computing all of them, layer by layer, from the input to the
# output, is called the *forward pass*. It is all that a network does once it is trained: whether your phone
# finds a face or a chat assistant writes a word, it runs a forward pass.
#
# Seen up close, it is many small sums. Seen from further away, it is a few matrix products. How do the two
# fit together, how much arithmetic is it, and what do the numbers in between mean?
#
# **You will build** the same network four times, from loops to `nn.Sequential`, count its parameters and
# its operations, and follow one digit through every neuron. **You need** matrix products (2.2),
# `nn.Module` (4.3) and activations (5.2).

# %%
import time
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
# The smallest *multilayer perceptron*, or MLP, that deserves the name: two inputs, two hidden neurons with
# ReLU, and one output neuron without. The input is $x = (1, 2)$. The first hidden neuron has the weights
# $(3, -1)$ and the bias $0$, the second $(1, -2)$ and $1$, and the output neuron $(2, 5)$ and $-1$.
#
# $$\begin{aligned}
#   z_1 &= 3 \cdot 1 - 1 \cdot 2 + 0 = 1, & h_1 &= \max(0, 1) = 1 \\
#   z_2 &= 1 \cdot 1 - 2 \cdot 2 + 1 = -2, & h_2 &= \max(0, -2) = 0 \\
#   \hat y &= 2 \cdot 1 + 5 \cdot 0 - 1 = 1
# \end{aligned}$$
#
# The second hidden neuron is off. Whatever its weight in the output, it has no effect on this example.

# %%
x1, x2 = 1.0, 2.0
h1 = max(0.0, 3 * x1 - 1 * x2 + 0)
h2 = max(0.0, 1 * x1 - 2 * x2 + 1)
y_hat = 2 * h1 + 5 * h2 - 1
print(f"hidden {h1}, {h2}   output {y_hat}")
assert (h1, h2, y_hat) == (1.0, 0.0, 1.0)

# %% [markdown]
# ## A layer, sum by sum
#
# If we write the weights of each neuron as a row, a layer's weights are a matrix $W$ with one row for each
# neuron and one column for each input. Neuron $j$ computes
#
# $$z_j = \sum_i W_{ji}\, x_i + b_j, \qquad h_j = \max(0, z_j) .$$
#
# Usually several examples are computed at once. They form a *batch*, an array with one example in each
# row. Three loops say exactly this: for each example, for each neuron, for each input. After the last
# layer there is no ReLU. Its outputs are the logits (3.2), scores that may have either sign.


# %%
def layer_loops(x, weight, bias):
    """x Wᵀ + b in plain loops; x: (B, n_in), weight: (n_out, n_in), bias: (n_out,); returns (B, n_out)."""
    out = np.empty((len(x), len(weight)), dtype=np.result_type(x, weight, bias))
    for example in range(len(x)):
        for neuron in range(len(weight)):
            total = bias[neuron]
            for i in range(len(weight[neuron])):
                total = total + weight[neuron, i] * x[example, i]
            out[example, neuron] = total
    return out


def forward_loops(x, layers):
    """Logits (B, n_out) of an MLP, one neuron after the other; layers: a list of (weight, bias)."""
    for weight, bias in layers[:-1]:
        x = np.maximum(layer_loops(x, weight, bias), 0)
    return layer_loops(x, *layers[-1])


paper_layers = [
    (np.array([[3.0, -1.0], [1.0, -2.0]]), np.array([0.0, 1.0])),  # (2, 2), (2,)
    (np.array([[2.0, 5.0]]), np.array([-1.0])),  # (1, 2), (1,)
]
print("the paper example:", forward_loops(np.array([[1.0, 2.0]]), paper_layers))
assert forward_loops(np.array([[1.0, 2.0]]), paper_layers).tolist() == [[1.0]]

# %% [markdown]
# ## A layer is a matrix product
#
# For one example, the two inner loops are a matrix times a vector, $W x$. For the whole batch, with one
# example in each row of $X$, all three loops are one matrix product:
#
# $$Z = X W^\top + b \qquad (B, n_\text{in})\, (n_\text{in}, n_\text{out}) \to (B, n_\text{out}) .$$
#
# The transpose is there because both $X$ and $W$ have their inputs in the columns. A product of shapes
# that do not fit raises an error by itself. But NumPy would silently stretch a bias of shape $(1,)$ over
# all neurons, so we check the bias.


# %%
def forward(x, layers):
    """Logits of an MLP, (B, n_in) -> (B, n_out), ReLU after all layers but the last.

    layers: a list of (weight, bias), (n_out, n_in) and (n_out,). Raises ValueError if shapes do not fit.
    """
    for i, (weight, bias) in enumerate(layers):
        if x.ndim != 2 or x.shape[1:] != weight.shape[1:] or bias.shape != weight.shape[:1]:
            raise ValueError(f"layer {i}: input {x.shape}, weight {weight.shape}, bias {bias.shape}")
        x = x @ weight.T + bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)
        if i < len(layers) - 1:
            x = np.maximum(x, 0)
    return x


sizes = (64, 32, 16, 10)  # neurons in each layer, the inputs first
layers = []
for n_in, n_out in zip(sizes, sizes[1:]):
    bound = 1 / np.sqrt(n_in)
    layers.append((rng.uniform(-bound, bound, size=(n_out, n_in)), rng.uniform(-bound, bound, size=n_out)))
batch = rng.normal(size=(5, 64))
print("shapes:", batch.shape, *[weight.shape for weight, _ in layers], "->", forward(batch, layers).shape)
np.testing.assert_allclose(forward(batch, layers), forward_loops(batch, layers), rtol=1e-10, atol=1e-12)

# %% [markdown]
# The loops and the products give the same numbers. Two things follow from the formula. Each row of the
# output depends on its own row of the input only, so a batch gives the same answers as its examples one by
# one. And the order of the hidden neurons has no meaning: if we shuffle the rows of $W_1$ and $b_1$, and
# the columns of $W_2$ in the same way, nothing changes.

# %%
one_by_one = np.concatenate([forward(row[None, :], layers) for row in batch])  # 5 × (1, 64) -> (5, 10)
np.testing.assert_allclose(forward(batch, layers), one_by_one, rtol=1e-10, atol=1e-12)

(weight1, bias1), (weight2, bias2), *others = layers
shuffle = rng.permutation(len(bias1))
shuffled = [(weight1[shuffle], bias1[shuffle]), (weight2[:, shuffle], bias2), *others]
np.testing.assert_allclose(forward(batch, layers), forward(batch, shuffled), rtol=1e-10, atol=1e-12)
shuffle_gap = np.abs(forward(batch, layers) - forward(batch, shuffled)).max()
print(f"shuffled neurons: largest difference {shuffle_gap:.1e}")

# %% [markdown]
# ## Parameters and operations
#
# How large is such a network? A layer has $n_\text{out}\, n_\text{in}$ weights and $n_\text{out}$ biases.
# And how much work is a forward pass? Each weight takes one multiplication and one addition for each
# example. A sum of $n$ products and a bias has $n$ additions, so the biases are already counted:
#
# $$\text{parameters} = n_\text{out} (n_\text{in} + 1), \qquad
#   \text{operations for each example} = 2\, n_\text{out}\, n_\text{in} .$$
#
# The weights belong to the network, so an object should hold them. This class draws them at random, evenly
# between $\pm 1 / \sqrt{n_\text{in}}$ as PyTorch does (lesson 6.5 gives the reason), and keeps the output
# of each layer, so that we can look at it.


# %%
class MLP:
    """Layers of sizes[0] -> … -> sizes[-1] neurons, ReLU between them."""

    def __init__(self, sizes, rng, dtype=np.float64):
        self.layers = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            bound = 1 / np.sqrt(n_in)
            weight = rng.uniform(-bound, bound, size=(n_out, n_in)).astype(dtype)
            bias = rng.uniform(-bound, bound, size=n_out).astype(dtype)
            self.layers.append((weight, bias))

    def __call__(self, x):
        """Logits, (B, sizes[0]) -> (B, sizes[-1]); the output of every layer stays in `self.outputs`."""
        self.outputs = []
        for i, layer in enumerate(self.layers):
            x = forward(x, [layer])  # one layer, without ReLU
            if i < len(self.layers) - 1:
                x = np.maximum(x, 0)
            self.outputs.append(x)
        return x

    def n_parameters(self):
        return sum(weight.size + bias.size for weight, bias in self.layers)

    def n_operations(self, batch_size):
        """Multiplications and additions of one forward pass; the comparisons of ReLU are not counted."""
        return 2 * batch_size * sum(weight.size for weight, _ in self.layers)


model = MLP(sizes, rng)
np.testing.assert_allclose(model(batch), forward(batch, model.layers), rtol=1e-10, atol=1e-12)
print(f"{'layer':16s}{'weights':>10s}{'biases':>10s}{'operations':>14s}")
for (weight, bias), n_in, n_out in zip(model.layers, sizes, sizes[1:]):
    print(f"{f'{n_in} -> {n_out}':16s}{weight.size:10d}{bias.size:10d}{2 * weight.size:14d}")
print(f"{model.n_parameters()} parameters, {model.n_operations(1)} operations for each digit")

# %% [markdown]
# About three quarters of the parameters are in the first layer, because it has the most inputs. One forward
# pass is a few thousand operations. A large language model has many billions of parameters. By the same
# formula, its matrix products take about two operations for each parameter and each word. (The work of
# attention, chapter 12, comes on top.)
#
# ## The same in PyTorch
#
# `nn.Linear` stores weight and bias in the same shapes as ours, and `nn.Sequential` chains the layers. We
# train the network on digits in the loop of lesson 4.4. All digits fit into memory, so batches are cut by
# indexing instead of by a `DataLoader`. Two more networks from other seeds, and three that stay untrained,
# are for a comparison further down.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(images))
train = order[:1400]
test = order[1400:]


def make_network(sizes, seed):
    """An untrained float64 network with ReLU between its layers."""
    torch.manual_seed(seed)
    modules = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        modules.append(nn.Linear(n_in, n_out))
        modules.append(nn.ReLU())
    return nn.Sequential(*modules[:-1]).double()  # no ReLU after the last layer


def fit(network, n_epochs=15, batch_size=32, learning_rate=0.3):
    """Train the network on the training digits; returns the loss of the last batch of each epoch."""
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
    inputs = torch.from_numpy(images[train])  # (1400, 64)
    targets = torch.from_numpy(labels[train])  # (1400,)
    losses = []
    for _ in range(n_epochs):
        for indices in torch.randperm(len(inputs)).split(batch_size):
            loss = F.cross_entropy(network(inputs[indices]), targets[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    return losses


def weights_of(network):
    """The list of (weight, bias) of the network's linear layers, as arrays."""
    linears = [module for module in network if isinstance(module, nn.Linear)]
    return [(linear.weight.detach().numpy(), linear.bias.detach().numpy()) for linear in linears]


untrained = [make_network(sizes, seed) for seed in range(3)]
trained = [make_network(sizes, seed) for seed in range(3)]
for network in trained:
    losses = fit(network)
    print("loss after epochs 1, 5, 10, 15:", *[f"{losses[epoch - 1]:.4f}" for epoch in (1, 5, 10, 15)])

# %% [markdown]
# Now the weights of the first trained network go into our class, and all four forms must give the same
# logits.

# %%
network = trained[0]
model.layers = weights_of(network)  # from here on our class computes with trained weights
some_digits = images[test][:64]  # (64, 64): 64 digits of 64 pixels
with torch.no_grad():
    torch_logits = network(torch.from_numpy(some_digits)).numpy()  # (64, 64) -> (64, 10)
for name, logits in {
    "loops": forward_loops(some_digits, model.layers),
    "matrix products": forward(some_digits, model.layers),
    "class MLP": model(some_digits),
}.items():
    print(f"{name:20s}largest difference from PyTorch {np.max(np.abs(logits - torch_logits)):.1e}")
    np.testing.assert_allclose(logits, torch_logits, rtol=1e-10, atol=1e-12)

n_parameters = sum(p.numel() for p in network.parameters())
test_accuracy = np.mean(model(images[test]).argmax(axis=1) == labels[test])
print(f"parameters: {model.n_parameters()} and {n_parameters}, test accuracy {test_accuracy:.1%}")
assert model.n_parameters() == n_parameters

# %% [markdown]
# ## One digit on its way
#
# Here is every number that one test digit becomes: pixels, the outputs of the hidden layers, logits, and
# after softmax (5.2) probabilities. How many of the hidden neurons do you expect to be off? The largest
# number of each layer is drawn in orange.

# %%
one = images[test][3:4]  # (1, 64)
logits = model(one)  # (1, 64) -> (1, 10)
exps = np.exp(logits - logits.max())
probabilities = exps / exps.sum()  # (1, 10)
stages = {f"{outputs.size} hidden neurons": outputs for outputs in model.outputs[:-1]}
stages["10 logits"] = logits
stages["10 probabilities"] = probabilities
share_off = [float(np.mean(outputs == 0)) for outputs in model.outputs[:-1]]
print(f"a {labels[test][3]}, read as {logits.argmax()} with probability {probabilities.max():.3f}")
print("share of hidden neurons that are off, layer by layer:", *[f"{share:.0%}" for share in share_off])

fig, axes = plt.subplots(1, 1 + len(stages), figsize=(14, 3.6), layout="constrained")
axes[0].imshow(one.reshape(8, 8), cmap="gray_r")  # (1, 64) -> (8, 8)
axes[0].set(title="64 pixels", xticks=[], yticks=[])
for ax, (title, stage) in zip(axes[1:], stages.items()):
    colors = ["C1" if value == stage.max() else "C0" for value in stage[0]]
    ax.barh(np.arange(stage.size), stage[0], color=colors)
    ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(title=title, ylabel="neuron", xlabel="output", ylim=(stage.size - 0.5, -0.5))
for ax in axes[-2:]:
    ax.set(ylabel="digit", yticks=range(10))
plt.show()

# %% [markdown]
# About half of the hidden neurons are off for this digit, because their scores are negative and ReLU cuts
# them off. Which of them are on is what distinguishes this digit from others. Among the logits one stands
# out, and the exponential in softmax makes its lead so large that it takes nearly all of the probability.
#
# ## Do hidden layers tell digits apart?
#
# For each class we average the outputs of a layer over the test digits. That gives ten patterns for each
# layer. How much alike are they? We take the cosine between two patterns (2.1), $1$ if they are parallel
# and $0$ if they are perpendicular, and average it over all pairs of different digits. In the pixels all
# digits have ink in the middle, so their patterns are quite alike. And in the hidden layers? To see what
# comes from the training, we ask the same of the three networks that were not trained.


# %%
def class_patterns(outputs):
    """Mean of the test digits' outputs (n, D) for each class: (10, D)."""
    return np.stack([outputs[labels[test] == digit].mean(axis=0) for digit in range(10)])


def mean_cosine(patterns):
    """Mean cosine between two different rows of patterns (10, D)."""
    unit = patterns / np.linalg.norm(patterns, axis=1, keepdims=True)  # (10, D)
    cosines = unit @ unit.T  # (10, D) @ (D, 10) -> (10, 10)
    return float(cosines[~np.eye(len(patterns), dtype=bool)].mean())


likeness = {}  # name -> (seeds, hidden layers)
pixel_likeness = mean_cosine(class_patterns(images[test]))
print(f"{'mean cosine':20s}{'layer':>8s}{'three seeds':>22s}")
print(f"{'pixels':20s}{pixel_likeness:30.2f}")
for name, networks in {"untrained": untrained, "trained": trained}.items():
    rows = []
    for each in networks:
        model.layers = weights_of(each)
        model(images[test])
        rows.append([mean_cosine(class_patterns(outputs)) for outputs in model.outputs[:-1]])
    likeness[name] = np.array(rows)
    for layer, cosines in enumerate(likeness[name].T, start=1):
        print(f"{name:20s}{layer:8d}" + "".join(f"{cosine:8.2f}" for cosine in cosines))

# %%
fig, axes = plt.subplots(2, len(sizes) - 1, figsize=(14, 5.6), layout="constrained", sharey=True)
for row, (name, each) in zip(axes, (("untrained", untrained[0]), ("trained", trained[0]))):
    model.layers = weights_of(each)
    model(images[test])
    panels = {"pixels": images[test]}
    panels |= {f"{name}, hidden layer {i + 1}": outputs for i, outputs in enumerate(model.outputs[:-1])}
    for ax, (title, outputs) in zip(row, panels.items()):
        patterns = class_patterns(outputs)
        shown = ax.imshow(patterns / patterns.max(), cmap="viridis", aspect="auto")
        ax.set(title=f"{title}: cosine {mean_cosine(patterns):.2f}", yticks=range(10))
        ax.set_xlabel("pixel" if title == "pixels" else "neuron")
    row[0].set_ylabel("digit")
    fig.colorbar(shown, ax=row, label="mean output / largest")
plt.show()

# %% [markdown]
# Each row of a panel is the pattern of one digit. In the untrained network (top) the columns look nearly
# the same from row to row: a neuron that is on is on for all digits, and the patterns are more alike than
# the pixels were. (This does not mean that the digits are lost there. With the step function of lesson 5.2
# the hidden layers stayed random, and the last layer still read about half of them.) After training
# (bottom) each digit switches on its own set of neurons, and the cosines are well below that of the pixels,
# on all three seeds. So hidden layers tell digits apart because of what they have learned, and not merely
# because they are there.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
model.layers = weights_of(trained[0])
first_layer_share = (weight1.size + bias1.size) / model.n_parameters()
assert 0.7 < first_layer_share < 0.8, "about three quarters of the parameters are in the first layer"
assert test_accuracy > 0.9, "the trained network reads more than nine in ten test digits"
assert logits.argmax() == labels[test][3], "the digit in the figure is read correctly"
assert probabilities.max() > 0.9, "its class takes nearly all of the probability"
assert 0.35 < np.mean(share_off) < 0.65, "about half of the hidden neurons are off for this digit"
assert likeness["untrained"].min() > pixel_likeness, "untrained layers make digits more alike"
assert likeness["trained"].max() < pixel_likeness - 0.05, "trained layers make them less alike"

# %% [markdown]
# ## The same, faster
#
# All forms do the same operations, but not in the same time. Divided by the time, the operations give
# *FLOP/s*, floating-point operations per second, which says how well a form uses the machine. Python takes
# some time for every instruction. The loops have an instruction for each single product. The matrix forms
# have a few for each layer, and with a larger batch the same few instructions do more arithmetic. A large
# batch costs only the memory for its rows.


# %%
def best_seconds(f, x, n_rounds=5):
    """The shortest of a few runs of f(x)."""
    times = []
    for _ in range(n_rounds):
        started = time.perf_counter()
        f(x)
        times.append(time.perf_counter() - started)
    return min(times)


forms = {
    "loops": lambda x: forward_loops(x, model.layers),
    "matrix products": lambda x: forward(x, model.layers),
    "class MLP": model,
    "nn.Sequential": lambda x: trained[0](torch.from_numpy(x)),
}
batches = {1: images[:1], 64: images[:64], 1797: images}
speed = {}  # name -> GFLOP/s for each batch
print(f"{'GFLOP/s':20s}" + "".join(f"{f'batch {n}':>12s}" for n in batches))
for name, form in forms.items():
    speed[name] = []
    for x in batches.values():
        few = x[:64] if name == "loops" else x  # more would take seconds
        n_rounds = 1 if name == "loops" else 5
        with torch.no_grad():
            seconds = best_seconds(form, few, n_rounds)
        speed[name].append(model.n_operations(len(few)) / seconds / 1e9)
    print(f"{name:20s}" + "".join(f"{value:12.3g}" for value in speed[name]))

# %% [markdown]
# In one large batch the matrix products are more than a hundred times as fast as the loops.

# %%
assert speed["matrix products"][-1] > 100 * speed["loops"][-1], "products are far faster than loops"

# %% [markdown]
# ## What to remember
#
# - A neuron is a row of weights, a layer a matrix, a batch a matrix of inputs, and a forward pass is
#   $X W^\top + b$ followed by the activation, layer by layer.
# - Write the shapes beside the products. Rows are examples and columns are features, everywhere.
# - A layer has $n_\text{out} (n_\text{in} + 1)$ parameters and takes $2\, n_\text{out}\, n_\text{in}$
#   operations for each example.
# - In a trained network each class switches on its own set of hidden neurons. In an untrained one it does
#   not.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `sizes = (64, 128, 10)`. How many parameters does the network have now? Compute it on paper, then
#    look at the printed table and at the first figure.
# 2. Turn the digit of the first figure by 180 degrees: `one = images[test][3:4, ::-1]`. (Why does
#    reversing the row do that?) Which hidden neurons are on now, and what does the network read?
# 3. From a blank cell at the end: switch off one neuron of the first hidden layer at a time, by setting
#    its row of weights and its bias to zero, and measure the accuracy on the test digits. Compare with
#    `test_accuracy`: which neuron is missed most?
#
# ## Sources
#
# - I. Goodfellow, Y. Bengio, A. Courville, _Deep Learning_, 2016, sections 6.1 and 6.4.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data.
