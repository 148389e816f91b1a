# %% [markdown]
# # 3.6 XOR in PyTorch: the same loop, with the derivatives done for you
#
# A sewing machine makes a tailor's stitches, only faster. We have trained a network by hand (3.5), and
# the hard part was the backward pass, which would have to be derived again for every new network. PyTorch
# computes it from the forward pass, which is why research and industry can try a new network in an
# afternoon.
#
# Which lines of our training loop does PyTorch take over, and do they still compute the same thing? **You
# will build** the network of lesson 3.5 twice more, and then a penguin classifier from the file to a
# saved model that somebody else can load. On the way we meet the most common trouble in training,
# overfitting. **You need** XOR in NumPy (3.5), tensors and their gradients (2.7), the split and the scale
# (3.1), softmax (3.3), and the roles of validation and test (3.4).

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
# The bird of lesson 3.3 had $x = 1$ and $y = 1$, and the model began with $w = b = 0$:
#
# $$\begin{aligned}
#   \text{forward and loss} \quad z &= w x + b = 0, \qquad p = \tfrac12, \qquad \ell = \ln 2 \\
#   \text{gradient} \quad \frac{\partial \ell}{\partial w} &= (p - y)\, x = -\tfrac12, \qquad
#     \frac{\partial \ell}{\partial b} = p - y = -\tfrac12
# \end{aligned}$$
#
# A tensor made with `requires_grad=True` records what is computed with it. `loss.backward()` follows the
# record back from the loss, multiplies the slopes, and puts the result into `.grad` (2.7). How it does
# this is the subject of lesson 4.2 and chapter 6. We write forward and loss only:

# %%
weight = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
bias = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
score = weight * 1.0 + bias
bird_loss = torch.log(1 + torch.exp(score)) - 1.0 * score
bird_loss.backward()
print(f"loss {bird_loss.item():.6f}   gradient {weight.grad.item()}, {bias.grad.item()}")
assert (weight.grad.item(), bias.grad.item()) == (-0.5, -0.5)

# %% [markdown]
# ## First only the derivatives
#
# Here is the network of lesson 3.5 in NumPy, its four steps marked. Below it stands the same loss in
# PyTorch, with `torch` in place of `np`, and no backward pass at all. If we give both the same weights,
# do the gradients agree?

# %%
x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)  # (4, 2)
y = np.array([0.0, 1.0, 1.0, 0.0])  # (4,)
first_weights = [rng.normal(size=(4, 2)), np.zeros(4), rng.normal(size=(1, 4)), np.zeros(1)]
inputs = torch.from_numpy(x)  # (4, 2), float64 like the array
targets = torch.from_numpy(y)  # (4,)


def numpy_gradients(parameters, x, y):
    """Loss and gradients of the tanh network W1 (H, 2), b1 (H,), W2 (1, H), b2 (1,) on x (n, 2), y (n,)."""
    weight1, bias1, weight2, bias2 = parameters
    hidden = np.tanh(x @ weight1.T + bias1)  # forward: (n, 2) @ (2, H) -> (n, H)
    scores = (hidden @ weight2.T + bias2)[:, 0]  # (n, H) @ (H, 1) -> (n, 1) -> (n,)
    loss = np.mean(np.logaddexp(0, scores) - y * scores)  # loss
    # gradient: p is the sigmoid of the scores, written as e to the power -ln(1 + e^(-z)), without overflow
    p = np.exp(-np.logaddexp(0, -scores))
    grad_scores = ((p - y) / len(y))[:, None]  # (n, 1)
    grad_z = grad_scores @ weight2 * (1 - hidden * hidden)  # (n, 1) @ (1, H) -> (n, H)
    gradients = [
        grad_z.T @ x,  # (H, n) @ (n, 2) -> (H, 2)
        grad_z.sum(axis=0),
        grad_scores.T @ hidden,  # (1, n) @ (n, H) -> (1, H)
        grad_scores.sum(axis=0),
    ]
    return loss, gradients


def torch_loss(tensors, inputs, targets):
    """The loss of `numpy_gradients`, from tensors; it can be differentiated."""
    weight1, bias1, weight2, bias2 = tensors
    hidden = torch.tanh(inputs @ weight1.T + bias1)  # (n, 2) @ (2, H) -> (n, H)
    scores = (hidden @ weight2.T + bias2)[:, 0]  # (n, H) @ (H, 1) -> (n, 1) -> (n,)
    return torch.mean(torch.logaddexp(torch.zeros_like(scores), scores) - targets * scores)


tensors = [torch.tensor(parameter, requires_grad=True) for parameter in first_weights]
torch_loss(tensors, inputs, targets).backward()
largest = 0.0
for ours, theirs in zip(numpy_gradients(first_weights, x, y)[1], tensors):
    np.testing.assert_allclose(ours, theirs.grad, rtol=1e-10, atol=1e-12)
    largest = max(largest, np.abs(ours - theirs.grad.numpy()).max())
print(f"largest difference between the gradients: {largest:.1e}")

# %% [markdown]
# They agree to rounding. One habit of `backward()` surprises nearly everybody, because it _adds_ to
# `.grad`. What will be in it after a second call for the same loss?

# %%
after_one_call = tensors[0].grad.clone()
torch_loss(tensors, inputs, targets).backward()
times_as_large = (tensors[0].grad / after_one_call).flatten()  # (8,)
print(f"after a second backward() .grad is {times_as_large.tolist()} times as large")

# %% [markdown]
# It has doubled, so every training loop has to clear the gradients before each step. With this we can
# write both loops. The update stands under `torch.no_grad()`, because moving the weights is no part of
# the model and must not be recorded.

# %%
n_steps = 500
learning_rate = 1.0

parameters = [parameter.copy() for parameter in first_weights]
numpy_losses = []
for _ in range(n_steps):
    loss, gradients = numpy_gradients(parameters, x, y)  # forward, loss, gradient
    numpy_losses.append(loss)
    for parameter, gradient in zip(parameters, gradients):
        parameter -= learning_rate * gradient  # update

tensors = [torch.tensor(parameter, requires_grad=True) for parameter in first_weights]
explicit_losses = []
for _ in range(n_steps):
    loss = torch_loss(tensors, inputs, targets)  # forward, loss
    for tensor in tensors:
        tensor.grad = None  # clear
    loss.backward()  # gradient
    with torch.no_grad():
        for tensor in tensors:
            tensor -= learning_rate * tensor.grad  # update
    explicit_losses.append(loss.item())
print(f"NumPy: loss {numpy_losses[0]:.4f} -> {numpy_losses[-1]:.4f}")
largest = np.abs(np.subtract(numpy_losses, explicit_losses)).max()
print(f"largest difference between the two curves {largest:.1e}")

# %% [markdown]
# ## A class for the model
#
# In practice the parameters are not kept in lists. A model is a class, and three things in it are new:
#
# - `class XorNetwork(nn.Module)` says that our class *inherits* from `nn.Module`. Whatever an `nn.Module`
#   can do, such as collecting its parameters or being saved, our class can do, too. We only add what is
#   ours.
# - `super().__init__()` runs the set-up of `nn.Module` first. It prepares the lists in which the layers
#   that are assigned in the lines after it are entered.
# - `forward` says what is computed. But we call `model(x)`, and not `model.forward(x)`: `nn.Module` makes
#   its objects callable, does some bookkeeping, and calls our `forward`.
#
# `nn.Linear(2, 4)` is a layer $X W^\top + b$ with a weight of shape $(4, 2)$ and a bias of its own, filled
# with random numbers.


# %%
class XorNetwork(nn.Module):
    """2 inputs, a hidden layer of tanh neurons, one score: (n, 2) -> (n,)."""

    def __init__(self, n_hidden=4):
        super().__init__()
        self.hidden = nn.Linear(2, n_hidden)
        self.output = nn.Linear(n_hidden, 1)

    def forward(self, x):
        hidden = torch.tanh(self.hidden(x))  # (n, 2) -> (n, H)
        return self.output(hidden)[:, 0]  # (n, H) -> (n, 1) -> (n,)


class Forgetful(nn.Module):
    """A network whose author forgot super().__init__()."""

    def __init__(self):
        self.hidden = nn.Linear(2, 4)


model = XorNetwork()
for name, parameter in model.named_parameters():
    print(f"{name:20s}{tuple(parameter.shape)}")
try:
    Forgetful()
except AttributeError as error:
    forgotten = str(error)
    print(f"without super().__init__(): {forgotten}")

# %% [markdown]
# The four parameters have found their way into `named_parameters()`, under the names that we gave the
# layers. The class `Forgetful` was made to fail: without `super().__init__()` there is no list yet into
# which its layer could be entered, and the last line is PyTorch's message.
#
# ## The loop as everybody writes it
#
# The loss function is `nn.BCEWithLogitsLoss`, binary cross-entropy from scores (3.2). An *optimizer*
# holds the parameters and makes the update. Ours is `SGD`, for *stochastic gradient descent*, which means
# descent on batches drawn at random, by the plain step that we know.
#
# | step | by hand | PyTorch |
# | --- | --- | --- |
# | forward | `np.tanh(x @ weight1.T + bias1)` and on | `model(inputs)` |
# | loss | `np.mean(np.logaddexp(0, scores) - y * scores)` | `loss_function(scores, targets)` |
# | gradient | a backward pass, derived on paper | `optimizer.zero_grad()`, `loss.backward()` |
# | update | `parameter -= learning_rate * gradient` | `optimizer.step()` |
#
# We copy the same first weights into the model. (`.double()` makes it float64, so that the comparison is
# exact.) How far will the three loss curves be apart after five hundred steps?

# %%
model = XorNetwork().double()
with torch.no_grad():
    for theirs, ours in zip(model.parameters(), first_weights, strict=True):
        theirs.copy_(torch.from_numpy(ours))

loss_function = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
torch_losses = []
for _ in range(n_steps):
    loss = loss_function(model(inputs), targets)  # forward, loss
    optimizer.zero_grad()
    loss.backward()  # gradient
    optimizer.step()  # update
    torch_losses.append(loss.item())
print(f"largest difference to NumPy's curve {np.abs(np.subtract(numpy_losses, torch_losses)).max():.1e}")
print(f"scores {model(inputs).tolist()}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(numpy_losses, color="C0", linewidth=5, alpha=0.4, label="NumPy, by hand")
left.plot(explicit_losses, "--", color="C1", label="PyTorch, our formulas")
left.plot(torch_losses, ":", color="black", label="PyTorch, nn and optim")
left.set(xlabel="step", ylabel="loss (nats)", title="Three programs, one curve", ylim=0)
left.legend()
for name, curve, marker in (("our formulas", explicit_losses, "x"), ("nn and optim", torch_losses, ".")):
    right.plot(1e16 * np.subtract(curve, numpy_losses), marker, markersize=4, label=name)
right.set(xlabel="step", ylabel="loss minus NumPy's, times $10^{16}$", title="Difference to NumPy's curve")
right.legend()
plt.show()

# %% [markdown]
# On the left the three curves cannot be told apart. On the right their differences are a few units in the
# sixteenth decimal place, which is rounding. So PyTorch has changed who writes the steps, and not the
# steps. The four lines in the loop are the ones that you will write from now on, whatever the model is.
#
# ## Penguins, from the file to a model
#
# Now we carry out a whole project in this form, three species from two measurements. To see the trouble
# that comes, we train on a third of the birds only, and keep two larger sets for validation and test.

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
    cuts = (np.array([0.3, 0.65]) * len(members)).astype(int)
    for part, piece in zip(parts, np.split(members, cuts)):
        part.extend(piece.tolist())
train, validation, test = (torch.tensor(part) for part in parts)
bird_x = torch.from_numpy(measurements).float()  # (n, 2)
bird_y = torch.from_numpy(labels)  # (n,)
print(f"{len(train)} to train on, {len(validation)} to validate, {len(test)} to test")

# %% [markdown]
# The model takes millimetres and scales them itself, by the training birds' mean and spread. Both are kept
# as *buffers*, which are numbers that belong to the model and are saved with it, but are not trained. Then
# nobody who loads the model can scale wrongly. `nn.Sequential` runs its layers one after the other, and the
# three outputs are logits, to be turned into probabilities by a softmax (3.3).


# %%
class PenguinClassifier(nn.Module):
    """Logits of three species (n, 3) from measurements (n, 2) in millimetres."""

    def __init__(self, n_hidden, center, spread):
        super().__init__()
        self.register_buffer("center", center)  # (2,)
        self.register_buffer("spread", spread)  # (2,)
        self.layers = nn.Sequential(nn.Linear(2, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 3))

    def forward(self, x):
        return self.layers((x - self.center) / self.spread)


center = bird_x[train].mean(dim=0)  # (2,)
spread = bird_x[train].std(dim=0, correction=0)  # (2,): correction=0 divides by n, as in lesson 3.1
untrained = PenguinClassifier(4, center, spread)
print("buffers   ", [name for name, _ in untrained.named_buffers()])
print("parameters", [name for name, _ in untrained.named_parameters()])

# %% [markdown]
# ## Too small, too large
#
# Should it have one hidden neuron, four or sixty-four, and for how long should it be trained?
# We train all three and keep, after every epoch, the loss on the training birds and on the validation
# birds. `nn.CrossEntropyLoss` takes logits and class indices, and is softmax and surprise in one stable
# step. `torch.inference_mode()` says that nothing in its block will be differentiated, so nothing is
# recorded. And `state_dict()` is a dictionary with all parameters and buffers of a model by name. We keep
# a copy of it whenever the validation loss is the lowest so far.
#
# Which of the two losses will tell you the right size?


# %%
def grade(model, part):
    """Mean cross-entropy (nats) and accuracy of the model on the birds of an index tensor."""
    with torch.inference_mode():
        logits = model(bird_x[part])  # (m, 3)
        loss = nn.functional.cross_entropy(logits, bird_y[part])
        accuracy = (logits.argmax(dim=1) == bird_y[part]).float().mean()
    return loss.item(), accuracy.item()


def fit(n_hidden, seed, n_epochs=150, batch_size=16, learning_rate=0.5):
    """A classifier after the last epoch, its losses (n_epochs, 2), and the state of its best epoch.

    The losses are those on the training and on the validation birds after each epoch. Best is the epoch of
    the lowest validation loss; without any epoch, or if all losses are NaN, it is the start.
    """
    torch.manual_seed(seed)
    model = PenguinClassifier(n_hidden, center, spread)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    curves = []
    lowest = float("inf")
    best_state = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(n_epochs):
        for batch in train[torch.randperm(len(train))].split(batch_size):
            loss = loss_function(model(bird_x[batch]), bird_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        curves.append((grade(model, train)[0], grade(model, validation)[0]))
        if curves[-1][1] < lowest:
            lowest = curves[-1][1]
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
    return model, np.array(curves).reshape(-1, 2), best_state  # (n_epochs, 2), also without any epoch


sizes = (1, 4, 64)
models = {}
all_curves = {}
best_states = {}
print(f"{'':20s}{'last epoch':>24s}{'best epoch':>24s}")
print(f"{'hidden neurons':20s}{'training':>12s}{'validation':>12s}{'epoch':>12s}{'validation':>12s}")
for size in sizes:
    models[size], all_curves[size], best_states[size] = fit(size, seed=0)
    best_epoch = all_curves[size][:, 1].argmin()
    row = [*all_curves[size][-1], best_epoch + 1, all_curves[size][best_epoch, 1]]
    print(f"{size:<20d}{row[0]:12.4f}{row[1]:12.4f}{row[2]:12d}{row[3]:12.4f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, size in zip(axes, sizes):
    epochs = np.arange(1, len(all_curves[size]) + 1)
    best_epoch = all_curves[size][:, 1].argmin() + 1
    ax.plot(epochs, all_curves[size][:, 0], color="C0", label="training birds")
    ax.plot(epochs, all_curves[size][:, 1], "--", color="C1", label="validation birds")
    ax.plot(best_epoch, all_curves[size][:, 1].min(), "o", color="C1", label="best epoch")
    ax.set(xlabel="epoch", ylim=(0, 1.1), title=f"{size} hidden neurons")
axes[0].set_ylabel("loss (nats)")
axes[0].legend()
plt.show()

# %% [markdown]
# On the left both curves stay high. One hidden neuron cannot even follow the training birds, and this is
# called *underfitting*: the model is too small, or has not been trained for long enough. In the other two
# panels the training loss falls further and further, but the validation loss turns after a few epochs and
# rises. From then on the network learns what is peculiar to these hundred birds and does not hold for
# others. This is *overfitting* (1.2). Read the two curves together: if both are high, the model underfits,
# and if they part, it overfits.
#
# How far they part depends on the split. On eight others the validation loss of both networks turned,
# too, and over the last twenty epochs it was from a sixth higher than at its lowest up to twice as high.
# But the turn came anywhere between epoch 5 and epoch 144. On three of the eight splits the two curves of
# at least one network stayed close together, or the validation curve even lay below the training curve,
# presumably because the harder birds were in the training set.
#
# (The spikes probably come from steps that are too long for a moment, as in lesson 3.3. The learning rate
# was not tuned.)
#
# So the training loss does not tell which network to take and when to stop: by it, the last epochs of the
# two larger networks would be the best. The validation loss tells both. At the dot is the best epoch,
# whose state we have kept. To take it instead of the last one is called _early stopping_, and lesson 8.5
# studies it. (Four and sixty-four neurons are close at their best epochs, and another split may choose
# the other one.) What has the large network learned after its best epoch? We draw the regions of the
# three species at the best and at the last epoch.

# %%
at_best = PenguinClassifier(64, center, spread)
at_best.load_state_dict(best_states[64])
bill_axis = torch.linspace(31, 61, 200)
flipper_axis = torch.linspace(168, 234, 200)
lengths, flippers = torch.meshgrid(bill_axis, flipper_axis, indexing="xy")  # (200, 200) each
places = torch.stack([lengths, flippers], dim=-1)  # (200, 200) twice -> (200, 200, 2)


def draw_regions(ax, model):
    """The species that the model names at each place, and the training birds."""
    with torch.inference_mode():
        region = model(places).argmax(dim=-1)  # (200, 200, 2) -> (200, 200, 3) -> (200, 200)
    ax.contourf(lengths, flippers, region, levels=(-0.5, 0.5, 1.5, 2.5), cmap="RdBu", alpha=0.5)
    ax.contour(lengths, flippers, region, levels=(0.5, 1.5), colors="black", linewidths=1)
    for label, (name, marker) in enumerate((("Adélie", "o"), ("chinstrap", "^"), ("gentoo", "s"))):
        shown = bird_x[train][bird_y[train] == label]  # (m, 2)
        ax.plot(shown[:, 0], shown[:, 1], marker, color="0.2", markersize=4, fillstyle="none", label=name)
    ax.set(xlabel="bill length (mm)", ylabel="flipper length (mm)")


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw_regions(left, at_best)
left.set_title("64 hidden neurons, best epoch")
left.legend(loc="lower right", fontsize=8)
draw_regions(right, models[64])
right.set_title("64 hidden neurons, last epoch")
plt.show()

# %% [markdown]
# At the best epoch the boundaries are nearly straight. At the last one the boundary between Adélies and
# chinstraps bends, to bring a few training birds to their right side. That helps with these birds, but
# for others it was a step in the wrong direction, as the validation loss says.
#
# ## Tested once, saved, loaded, used
#
# We choose the size and the epoch with the lowest validation loss, and only now look at the test birds.
# For comparison we also grade the same network after its last epoch. Then the model is saved. A file with
# its `state_dict` holds nothing but named numbers, and `weights_only=True` reads nothing else, which
# matters with files from strangers. To load it, build the same class and fill it. The scale given there
# does not matter, because the right one is in the file.

# %%
chosen = min(sizes, key=lambda size: all_curves[size][:, 1].min())
classifier = PenguinClassifier(chosen, center, spread)
classifier.load_state_dict(best_states[chosen])
test_loss, test_accuracy = grade(classifier, test)
last_loss, last_accuracy = grade(models[chosen], test)
print(f"chosen: {chosen} hidden neurons; a guesser's loss is {np.log(3):.4f} nats")
print(f"best epoch   test loss {test_loss:.4f}, accuracy {test_accuracy:.1%}")
print(f"last epoch   test loss {last_loss:.4f}, accuracy {last_accuracy:.1%}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "penguins.pt"
    torch.save(classifier.state_dict(), path)
    n_bytes = path.stat().st_size
    state = torch.load(path, weights_only=True)
loaded = PenguinClassifier(chosen, torch.zeros(2), torch.ones(2))
loaded.load_state_dict(state)
print(f"{n_bytes:,} bytes: {list(state)}")

new_bird = torch.tensor([[49.0, 195.0]])  # (1, 2): bill and flipper in millimetres
with torch.inference_mode():
    same_answers = torch.equal(classifier(bird_x), loaded(bird_x))
    probabilities = loaded(new_bird).softmax(dim=1)[0]  # (1, 3) -> (3,)
for name, p in zip(SPECIES, probabilities.tolist()):
    print(f"{name:20s}{p:12.3f}")

# %% [markdown]
# The test birds confirm what the validation birds said: most of them are right, and the last epoch would
# have been worse. (So it was on seven of the eight other splits.) The loaded model gives the same answers
# as the saved one, to the last bit, and it names the species of a new bird, measured in millimetres, with
# its probability.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert torch.allclose(times_as_large, torch.tensor(2.0, dtype=torch.float64)), "gradients add up"
assert np.abs(np.subtract(numpy_losses, explicit_losses)).max() < 1e-9, "autograd gives the same curve"
assert np.abs(np.subtract(numpy_losses, torch_losses)).max() < 1e-9, "nn and optim give the same curve"
assert torch.equal(model(inputs) > 0, targets > 0), "from this start the network gets all four points right"
assert "__init__" in forgotten, "without super().__init__() no layer can be added"
small, medium, large = (all_curves[size] for size in sizes)
assert small[:, 0].min() > 0.25 and small[:, 1].min() > 0.25, "one neuron underfits: both losses stay high"
for curve in (medium, large):
    assert curve[-1, 0] < 0.15, "on this split the training loss falls further with more neurons"
    assert curve[-1, 1] > 1.2 * curve[:, 1].min(), "but the validation loss turns: overfitting"
    assert curve[-1, 1] > 1.5 * curve[-1, 0], "and on this split the two curves part"
    assert curve[:, 1].argmin() < 50, "on this split the best epoch is an early one"
assert test_loss < np.log(3) / 3 and test_accuracy > 0.9, "the chosen model names nearly all test birds"
assert test_loss < last_loss, "on the test birds, too, the best epoch is better than the last"
assert same_answers, "the loaded model answers as the saved one"
assert SPECIES[probabilities.argmax()] == "Chinstrap", "the new bird is called a chinstrap"

# %% [markdown]
# ## What to remember
#
# - PyTorch changes who writes the steps, not the steps: the loss curves agree to rounding.
# - `zero_grad`, `backward`, `step`: gradients add up until they are cleared.
# - A model is a class that inherits from `nn.Module`, and `model(x)` calls its `forward`. Loss functions
#   take logits.
# - Both losses high: underfitting. The two losses part: overfitting. Take the epoch and the size of the
#   lowest validation loss, and open the test set once.
# - Save the `state_dict`, with the scale in it as buffers, and load it with `weights_only=True`.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top. An AssertionError at the end is no
# damage: it names the claim that your change has overturned.
#
# 1. Give the penguins more training birds: `[0.6, 0.8]` in place of the cuts `0.3` and `0.65`. What will
#    become of the gap between the two curves of the large network? Look at the second figure.
# 2. Comment out the line `optimizer.zero_grad()` in the loop of `XorNetwork`, the first of the two. What
#    will be added up, and what does the curve of the first figure do?
# 3. From a blank cell at the end: train `PenguinClassifier(4, center, spread)` with your own loop on the
#    training birds, all in one batch, for a hundred steps. Print training and validation loss every twenty
#    steps, and compare with the table above: does it underfit or overfit?
#
# ## Sources
#
# - A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", NeurIPS 2019.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
#   propagation", in _Parallel Distributed Processing_ 1, 1986.
# - L. Prechelt, "Early stopping - but when?", in _Neural Networks: Tricks of the Trade_, 1998: stop where
#   the validation error turns. Reproduced: "on the test birds, too, the best epoch".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
