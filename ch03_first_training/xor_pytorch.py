# %% [markdown]
# # 3.6 XOR in PyTorch: the same stitches, by machine
#
# Whoever has sewn a shirt by hand knows what a sewing machine does: the same stitches, without a thought
# for each. You have trained a network by hand. Here each of your lines is handed to PyTorch, one at a
# time, and after each we check that the seam is the same up to rounding.
#
# **You will build** the network of lesson 3.5 twice more, and a penguin classifier from file to saved
# model. **You need** XOR in NumPy (3.5), tensors (2.7), splits (3.1). Chapter 4 explains the machine.

# %%
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# The bird of lesson 3.3: $x = 1$, label 1, weight and bias zero. By hand the loss was $\ln 2$ and both
# slopes $-\frac12$. A tensor with `requires_grad` takes notes of what is done with it, and `backward()`
# reads the notes from the end: what we derived, without deriving. How it does this is chapter 6.

# %%
weight = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
bias = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
score = weight * 1.0 + bias
loss = torch.log(1 + torch.exp(score)) - 1.0 * score
loss.backward()
print(f"loss {loss.item():.6f}   slopes {weight.grad.item()}, {bias.grad.item()}")
assert (weight.grad.item(), bias.grad.item()) == (-0.5, -0.5)
np.testing.assert_allclose(loss.item(), np.log(2))

# %% [markdown]
# ## The seam by hand
#
# The 2-4-1 network of lesson 3.5, its four steps marked. It keeps its loss at every step, for comparison.

# %%
x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)  # (4, 2)
y = np.array([0.0, 1.0, 1.0, 0.0])  # (4,)
first_weights = [rng.normal(size=(4, 2)), np.zeros(4), rng.normal(size=(1, 4)), np.zeros(1)]


def numpy_gradients(parameters, x, y):
    """Loss and gradients of the tanh network W1 (H, 2), b1 (H,), W2 (1, H), b2 (1,) on x (n, 2), y (n,)."""
    weight1, bias1, weight2, bias2 = parameters
    hidden = np.tanh(x @ weight1.T + bias1)  # forward: (n, 2) @ (2, H) -> (n, H)
    scores = (hidden @ weight2.T + bias2)[:, 0]  # (n, H) @ (H, 1) -> (n, 1) -> (n,)
    loss = np.mean(np.logaddexp(0, scores) - y * scores)  # loss
    p = np.exp(-np.logaddexp(0, -scores))  # gradient: the sigmoid, without overflow
    delta = ((p - y) / len(y))[:, None]  # (n, 1)
    sums_grad = delta @ weight2 * (1 - hidden * hidden)  # (n, 1) @ (1, H) -> (n, H)
    gradients = [
        sums_grad.T @ x,  # (H, n) @ (n, 2) -> (H, 2)
        sums_grad.sum(axis=0),
        delta.T @ hidden,  # (1, n) @ (n, H) -> (1, H)
        delta.sum(axis=0),
    ]
    return loss, gradients


n_steps, learning_rate = 500, 1.0
parameters, losses = [parameter.copy() for parameter in first_weights], []
for _ in range(n_steps):
    loss, gradients = numpy_gradients(parameters, x, y)
    losses.append(loss)
    for parameter, gradient in zip(parameters, gradients):
        parameter -= learning_rate * gradient  # update
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
assert losses[-1] < 0.05

# %% [markdown]
# ## First the derivatives
#
# Copy the same starting weights into tensors. Forward and loss are written as before, with `torch` where
# `np` stood; the backward pass, derived on paper, becomes one call. Do its gradients agree with ours?

# %%
inputs, targets = torch.from_numpy(x), torch.from_numpy(y)  # (4, 2), (4,): float64 like the arrays
tensors = [torch.tensor(parameter, requires_grad=True) for parameter in first_weights]


def torch_loss(tensors, inputs, targets):
    """The loss of `numpy_gradients`, from tensors; differentiable."""
    weight1, bias1, weight2, bias2 = tensors
    hidden = torch.tanh(inputs @ weight1.T + bias1)  # (n, 2) @ (2, H) -> (n, H)
    scores = (hidden @ weight2.T + bias2)[:, 0]  # (n, H) @ (H, 1) -> (n, 1) -> (n,)
    return torch.mean(torch.logaddexp(torch.zeros_like(scores), scores) - targets * scores)


torch_loss(tensors, inputs, targets).backward()
largest = 0.0
for ours, theirs in zip(numpy_gradients(first_weights, x, y)[1], tensors):
    np.testing.assert_allclose(ours, theirs.grad, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(ours - theirs.grad.numpy()).max())
print(f"largest difference between the gradients: {largest:.1e}")

# %% [markdown]
# Now the loop. Two things are new. The update happens under `torch.no_grad()`: moving the weights is no
# part of the model, so no notes are taken. And `.grad` *adds up* over calls of `backward()`, so it must be
# emptied before each step.

# %%
explicit_losses = []
for _ in range(n_steps):
    loss = torch_loss(tensors, inputs, targets)  # forward and loss
    for tensor in tensors:
        tensor.grad = None
    loss.backward()  # gradient
    with torch.no_grad():
        for tensor in tensors:
            tensor -= learning_rate * tensor.grad  # update
    explicit_losses.append(loss.item())

largest = np.abs(np.subtract(losses, explicit_losses)).max()
print(f"largest difference between the two loss curves: {largest:.1e}")
assert largest < 1e-9

# %% [markdown]
# What happens to those who forget to empty it? The second gradient is twice the first, on the same loss.

# %%
for tensor in tensors:
    tensor.grad = None
torch_loss(tensors, inputs, targets).backward()
once = tensors[0].grad.clone()
torch_loss(tensors, inputs, targets).backward()
print(f"the same gradient, not emptied: {(tensors[0].grad / once)[0].tolist()} times as large")
torch.testing.assert_close(tensors[0].grad, 2 * once)

# %% [markdown]
# ## The same in PyTorch
#
# And as everybody writes it. `nn.Linear` is $XW^\top + b$ with its own weights, an `nn.Module` bundles
# layers, `BCEWithLogitsLoss` is our loss of the score, and an *optimizer* holds the parameters and updates
# them: `SGD`, for *stochastic gradient descent*, by the plain step we know.
#
# | step | by hand | PyTorch |
# | --- | --- | --- |
# | forward | `np.tanh(x @ weight1.T + bias1)` and on | `model(x)` |
# | loss | `np.mean(np.logaddexp(0, scores) - y * scores)` | `loss_function(scores, y)` |
# | gradient | a backward pass, derived on paper | `optimizer.zero_grad()`, `loss.backward()` |
# | update | `parameter -= learning_rate * gradient` | `optimizer.step()` |


# %%
class XorNetwork(nn.Module):
    """2 inputs, a hidden layer of tanh neurons, one score: (n, 2) -> (n,)."""

    def __init__(self, hidden_size=4):
        super().__init__()
        self.hidden = nn.Linear(2, hidden_size)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, x):
        return self.output(torch.tanh(self.hidden(x)))[:, 0]  # (n, 2) -> (n, H) -> (n, 1) -> (n,)


model = XorNetwork().double()
with torch.no_grad():
    for theirs, ours in zip(model.parameters(), first_weights, strict=True):
        theirs.copy_(torch.from_numpy(ours))
print(*(f"{name:16s}{tuple(parameter.shape)}" for name, parameter in model.named_parameters()), sep="\n")

# %% [markdown]
# Same weights, same steps, and float64 (that is `.double()`); the loss is compared at every step. From
# here on, this loop is the one that you will write, whatever the model.

# %%
loss_function = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
torch_losses = []
for _ in range(n_steps):
    loss = loss_function(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch_losses.append(loss.item())

largest = np.abs(np.subtract(losses, torch_losses)).max()
print(f"largest difference between the two loss curves: {largest:.1e}")
assert largest < 1e-9
assert torch.equal(model(inputs) > 0, targets > 0)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(losses, color="C0", linewidth=5, alpha=0.4, label="NumPy, by hand")
left.plot(explicit_losses, "--", color="C1", label="PyTorch, our formulas")
left.plot(torch_losses, ":", color="black", label="PyTorch, as everybody writes it")
left.set(xlabel="step", ylabel="loss (nats)", title="Three programs, one curve", ylim=0)
left.legend()
for name, curve, marker in (("our formulas", explicit_losses, "x"), ("nn and optim", torch_losses, ".")):
    right.plot(1e16 * np.subtract(curve, losses), marker, markersize=4, label=name)
right.set(
    xlabel="step", ylabel="loss minus NumPy's, times $10^{16}$", title="They differ by rounding, nothing else"
)
right.legend()
plt.show()

# %% [markdown]
# ## Penguins, from file to answer
#
# Now a whole project in this form: three species from two measurements, with the care of lessons 3.1 and
# 3.4. First the birds, and three sets that keep the share of each species.

# %%
COLUMNS = ("bill_length_mm", "flipper_length_mm")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

parts = ([], [], [])
for label in range(len(SPECIES)):
    members = rng.permutation(np.flatnonzero(labels == label))
    for part, piece in zip(parts, np.split(members, (np.array([0.6, 0.8]) * len(members)).astype(int))):
        part.extend(piece.tolist())
train, validation, test = (torch.tensor(part) for part in parts)
measurements = torch.from_numpy(measurements).float()  # (n, 2)
labels = torch.from_numpy(labels)  # (n,)
print(f"{len(train)} to train on, {len(validation)} to validate, {len(test)} to test")
assert len(torch.cat([train, validation, test]).unique()) == len(labels)

# %% [markdown]
# The model takes millimetres. It scales them itself, by the training birds' mean and spread, and keeps
# both as *buffers*: numbers that belong to the model and are saved with it, but are not trained. Whoever
# loads it cannot scale wrongly. With no hidden neurons it is the softmax regression of lesson 3.3.


# %%
class PenguinClassifier(nn.Module):
    """Logits of three species (n, 3) from measurements (n, 2) in millimetres."""

    def __init__(self, hidden_size, center, spread):
        super().__init__()
        self.register_buffer("center", center)  # (2,)
        self.register_buffer("spread", spread)  # (2,)
        if hidden_size:
            self.layers = nn.Sequential(nn.Linear(2, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 3))
        else:
            self.layers = nn.Linear(2, 3)

    def forward(self, x):
        return self.layers((x - self.center) / self.spread)


center = measurements[train].mean(dim=0)  # (2,)
# correction=0 divides by n, as lesson 3.1 did; PyTorch's default is n - 1
spread = measurements[train].std(dim=0, correction=0)  # (2,)
untrained = PenguinClassifier(0, center, spread)
print([name for name, _ in untrained.named_buffers()], [name for name, _ in untrained.named_parameters()])
assert untrained(measurements[:5]).shape == (5, 3)

# %% [markdown]
# One function trains, mini-batch by mini-batch, and reports the loss on both sets after each epoch.
# `CrossEntropyLoss` takes logits and class indices; it is softmax and surprise in one stable step. What is
# printed under `torch.inference_mode()` takes no notes.


# %%
def grade(model, part):
    """Mean cross-entropy (nats) and accuracy of the model on the birds of an index tensor."""
    with torch.inference_mode():
        logits = model(measurements[part])  # (m, 3)
        loss = nn.functional.cross_entropy(logits, labels[part])
        return loss.item(), (logits.argmax(dim=1) == labels[part]).float().mean().item()


def fit(hidden_size, n_epochs=100, batch_size=16, learning_rate=0.2):
    """A classifier trained on the training birds, and its losses (n_epochs, 2): training, validation."""
    model = PenguinClassifier(hidden_size, center, spread)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    curves = []
    for _ in range(n_epochs):
        for batch in train[torch.randperm(len(train))].split(batch_size):
            loss = loss_function(model(measurements[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        curves.append((grade(model, train)[0], grade(model, validation)[0]))
    return model, np.array(curves)


candidates = {size: fit(size) for size in (0, 2, 16)}
print(f"{'hidden neurons':20s}{'training':>12s}{'validation':>12s}   (nats)")
for size, (_, curves) in candidates.items():
    print(f"{size:<20d}{curves[-1, 0]:12.4f}{curves[-1, 1]:12.4f}")

# %% [markdown]
# The largest network fits the training birds most closely, which is not what we asked for. The validation
# birds choose. Only then is the test set opened, once.

# %%
assert min(candidates, key=lambda size: candidates[size][1][-1, 0]) == 16  # training loss
chosen = min(candidates, key=lambda size: candidates[size][1][-1, 1])
classifier, curves = candidates[chosen]
test_loss, test_accuracy = grade(classifier, test)
print(f"chosen: {chosen} hidden neurons; test loss {test_loss:.4f} nats, accuracy {test_accuracy:.1%}")
print(f"a guesser's loss: {np.log(3):.4f} nats")
assert test_loss < np.log(3) / 3 and test_accuracy > 0.9

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(curves[:, 0], color="C0", label="training birds")
left.plot(curves[:, 1], "--", color="C1", label="validation birds")
left.set(xlabel="epoch", ylabel="loss (nats)", title="Both losses fall and level out", ylim=0)
left.legend()
lengths, flippers = torch.meshgrid(torch.linspace(30, 62, 200), torch.linspace(168, 235, 200), indexing="xy")
with torch.inference_mode():
    places = torch.stack([lengths, flippers], dim=-1)  # (200, 200) twice -> (200, 200, 2)
    region = classifier(places).argmax(dim=-1)  # (200, 200)
right.contourf(lengths, flippers, region, levels=(-0.5, 0.5, 1.5, 2.5), cmap="RdBu", alpha=0.5)
right.contour(lengths, flippers, region, levels=(0.5, 1.5), colors="black", linewidths=1)
for label, (name, marker) in enumerate((("Adélie", "o"), ("chinstrap", "^"), ("gentoo", "s"))):
    points = measurements[test][labels[test] == label]
    right.plot(*points.T, marker, color="0.2", markersize=4, fillstyle="none", linestyle="none", label=name)
right.set(
    xlabel="bill length (mm)", ylabel="flipper length (mm)", title="Nearly all birds it never saw are right"
)
right.legend(loc="upper left", fontsize=8)
plt.show()
assert np.all(curves[-1] < 0.7 * curves[0])

# %% [markdown]
# ## Saved, loaded, used
#
# A trained model is its numbers. `state_dict()` names them all, buffers included; the file holds nothing
# else, and `weights_only=True` reads nothing else, which matters with files from strangers. To load, build
# the same class and fill it. The scale's values at building do not matter: they are in the file.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "penguins.pt"
    torch.save(classifier.state_dict(), path)
    size = path.stat().st_size
    state = torch.load(path, weights_only=True)
loaded = PenguinClassifier(chosen, torch.zeros(2), torch.ones(2))
print(f"{size:,} bytes: {loaded.load_state_dict(state)}")
with torch.inference_mode():
    saved_logits, loaded_logits = classifier(measurements), loaded(measurements)  # each (n, 3)
assert torch.equal(saved_logits, loaded_logits)

# %% [markdown]
# A bird on the beach, measured in millimetres, and the loaded model's answer with its probabilities.

# %%
new_bird = torch.tensor([[49.0, 195.0]])  # (1, 2): bill and flipper
with torch.inference_mode():
    probabilities = loaded(new_bird).softmax(dim=1)[0]  # (1, 3) -> (3,)
for name, p in zip(SPECIES, probabilities.tolist()):
    print(f"{name:20s}{p:12.3f}")
assert SPECIES[probabilities.argmax()] == "Chinstrap"
torch.testing.assert_close(probabilities.sum().item(), 1.0)

# %% [markdown]
# ## What to remember
#
# - PyTorch changes who writes the steps, not the steps: the loss curve is the same to rounding.
# - `zero_grad`, `backward`, `step`: gradients add up until they are emptied.
# - Loss functions take logits. Softmax and sigmoid are for reading the answer.
# - Save the `state_dict`, with the scale in it as buffers; load with `weights_only=True`.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Take `.double()` away and convert `inputs` and `targets` by `.float()`. How far apart are the curves
#    after the last step?
# 2. Replace `torch.optim.SGD` by `torch.optim.Adam`, with a tenth of the learning rate. What else must
#    change? (Lesson 7.2 tells what it does.)
# 3. Remove `optimizer.zero_grad()` from the XOR loop. Where does the curve go?
#
# ## Sources
#
# - A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", NeurIPS 2019.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
#   propagation", in *Parallel Distributed Processing* 1, 1986.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
