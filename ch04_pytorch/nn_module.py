# %% [markdown]
# # 4.3 nn.Module: layers that keep a list of their parameters
#
# A language model of middle size has some two hundred weight matrices. An optimizer must be given every
# one of them, a file must hold every one under a name, and all of them must move when the model moves to
# another device. Such a list is hopeless to keep by hand, and if a single matrix is forgotten, nothing
# fails, but it is never trained, or it is missing in the file.
#
# In PyTorch the class `nn.Module` keeps the list. A *module* is a layer or a network made of layers, and
# it can always tell which parameters it contains, by name. Every model that you will read or write in
# PyTorch is one.
#
# **You will build** a `Module` class of your own with layers on it, train it, and compare it with the
# real one. Then you will save a model, load it, and give it a new last layer. **You need** classes in
# Python, the XOR network (3.6) and autograd (4.2).

# %%
import io
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# A *linear layer* computes $x W^\top + b$. It has one weight for each pair of an input and an output, and
# one bias for each output. How many parameters does a network have that goes from three numbers to two
# and from two to one?
#
# $$\begin{aligned}
#   \text{layer 0, from 3 to 2:} \quad & 2 \cdot 3 + 2 = 8 \\
#   \text{layer 1, from 2 to 1:} \quad & 1 \cdot 2 + 1 = 3 \\
#   \text{together:} \quad & 8 + 3 = 11
# \end{aligned}$$
#
# Their names should say where each of them lives, and they do.

# %%
torch.manual_seed(0)
pair = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
for name, parameter in pair.named_parameters():
    print(f"{name:20s}{tuple(parameter.shape)!s:>12s}{parameter.numel():12d}")
assert sum(parameter.numel() for parameter in pair.parameters()) == (2 * 3 + 2) + (1 * 2 + 1) == 11

# %% [markdown]
# ## A module from scratch
#
# Python already knows what an object holds, because `vars(self)` is the dictionary of its attributes, and
# our module looks through it. An attribute that is an `nn.Parameter`, which is a tensor marked as "to be
# trained", goes on the list. An attribute that is itself a module is asked for its own list, and its name
# is put in front of the names there.
#
# Some tensors are not trained and yet belong to the model, such as an average that a layer keeps. Such a
# tensor is called a *buffer*. Nothing distinguishes it from a tensor that does not belong to the model,
# so it has to be registered.
#
# The dictionary from all these names to their tensors is the *state dict*. Loading copies values into the
# tensors that are there, and refuses names that do not fit, because a wrong file should be noticed when
# it is loaded and not later, by strange results.


# %%
class Module:
    """A layer or network that lists its parameters and buffers, by the names that `nn.Module` gives them."""

    def __init__(self):
        self.training = True
        self._buffer_names = []

    def __call__(self, *args):
        return self.forward(*args)

    def children(self):
        """The modules directly inside, as (name, module) pairs."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def named_parameters(self, prefix=""):
        """Yield (name, parameter): our own first, then those of the modules inside, as `inside.name`."""
        for name, value in vars(self).items():
            if isinstance(value, nn.Parameter):
                yield prefix + name, value
        for name, child in self.children():
            yield from child.named_parameters(f"{prefix}{name}.")

    def register_buffer(self, name, tensor):
        """Keep `tensor` under `name` as state that is saved but not trained."""
        setattr(self, name, tensor)
        self._buffer_names.append(name)

    def named_buffers(self, prefix=""):
        """Yield (name, buffer), in the order of `named_parameters`."""
        for name in self._buffer_names:
            yield prefix + name, getattr(self, name)
        for name, child in self.children():
            yield from child.named_buffers(f"{prefix}{name}.")

    def train(self, mode=True):
        """Tell this module and all inside whether they are being trained; returns the module."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self):
        """The same as `train(False)`."""
        return self.train(False)

    def state_dict(self):
        """A dict from name to tensor, parameters and buffers: outside the graph, in the same memory."""
        named = [*self.named_parameters(), *self.named_buffers()]
        return {name: tensor.detach() for name, tensor in named}

    def load_state_dict(self, state):
        """Copy the values of `state` into this module; raises ValueError if names or shapes do not fit."""
        own = self.state_dict()
        if own.keys() != state.keys():
            missing = sorted(own.keys() - state.keys())
            unexpected = sorted(state.keys() - own.keys())
            raise ValueError(f"missing {missing}, unexpected {unexpected}")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise ValueError(f"{name} has shape {tuple(tensor.shape)}, not {tuple(state[name].shape)}")
        for name, tensor in own.items():
            tensor.copy_(state[name])

    def double(self):
        """Make every parameter and buffer float64, in place; returns the module."""
        for _, tensor in [*self.named_parameters(), *self.named_buffers()]:
            tensor.data = tensor.data.double()  # the same object, so an optimizer that holds it is not lost
        return self


# %% [markdown]
# A change made through `tensor.data` happens behind autograd's back, so the count of changes (4.2) does
# not notice it. Here that is safe, because no graph has been recorded yet when the type is changed. The
# library does the same.
#
# ## Layers
#
# A layer is a module with a method `forward`. `Linear` starts from numbers spread evenly over
# $\pm 1/\sqrt{n_\text{in}}$, as the library's does (lesson 6.5 asks why). ReLU and Flatten have nothing
# to keep. `Sequential` stores its layers as attributes with the names 0, 1, 2, …, and that is all it
# takes for `vars` to find them.


# %%
class Linear(Module):
    """x @ weight.T + bias for x of shape (..., n_in); the result has shape (..., n_out)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(n_out, n_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound))

    def forward(self, x):
        return x @ self.weight.T + self.bias  # (..., n_in) @ (n_in, n_out) -> (..., n_out)


class ReLU(Module):
    """max(x, 0), element by element."""

    def forward(self, x):
        return x.clamp(min=0)


class Flatten(Module):
    """(B, ...) to (B, product of the rest)."""

    def forward(self, x):
        return x.flatten(1)  # (B, ...) -> (B, N)


class Sequential(Module):
    """Layers applied one after the other."""

    def __init__(self, *layers):
        super().__init__()
        for i, layer in enumerate(layers):
            setattr(self, str(i), layer)

    def forward(self, x):
        for _, layer in self.children():
            x = layer(x)
        return x


# %% [markdown]
# The next layer needs a buffer. `Center` shifts each feature so that the mean over the batch is zero.
# When the model is in use there may be only one example, so the layer keeps a running mean $r$ of the
# batch means $m$ and subtracts that instead. In training, each batch moves $r$ a little:
#
# $$r \leftarrow (1 - \mu)\, r + \mu\, m .$$
#
# No gradient moves the running mean, so it is a buffer and no parameter, and the layer behaves
# differently in training and in use. (PyTorch calls $\mu$ the momentum of such a layer; the momentum of
# an optimizer, lesson 7.2, is something else. Centring is one half of batch normalization, lesson 8.3.)


# %%
class Center(Module):
    """Subtracts the mean of each feature: the batch's in training, the running one in use.

    x: (B, n_features); momentum: the share μ of each new batch in the running mean. Raises ValueError for
    an empty batch in training, which would make the running mean NaN for good.
    """

    def __init__(self, n_features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(n_features))

    def forward(self, x):
        if not self.training:
            return x - self.running_mean  # (B, D) - (D,)
        if len(x) == 0:
            raise ValueError("a batch without examples has no mean")
        mean = x.mean(dim=0)  # (B, D) -> (D,)
        self.running_mean.lerp_(mean.detach(), self.momentum)  # in place: r + μ (m - r)
        return x - mean  # (B, D) - (D,)


class Classifier(Module):
    """Class scores for pictures (B, 28, 28): flatten, hidden layer, center, ReLU, scores (B, 10)."""

    def __init__(self, n_hidden):
        super().__init__()
        self.body = Sequential(Flatten(), Linear(784, n_hidden), Center(n_hidden), ReLU())
        self.head = Linear(n_hidden, 10)

    def forward(self, images):
        return self.head(self.body(images))


torch.manual_seed(0)
ours = Classifier(n_hidden=32)
start = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
for name, tensor in [*ours.named_parameters(), *ours.named_buffers()]:
    kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
    print(f"{name:24s}{kind:12s}{tuple(tensor.shape)}")

# %% [markdown]
# The network is made of modules inside modules, and its list came out by itself. The 2 in
# `body.2.running_mean` is the third layer of the body.
#
# ## The same in PyTorch
#
# `nn.Module` keeps its list in the moment in which an attribute is assigned. The library has no `Center`,
# so we write it as an `nn.Module`, and the layer needs no more than before.


# %%
class TorchCenter(nn.Module):
    """`Center` on the library's module."""

    def __init__(self, n_features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(n_features))

    def forward(self, x):
        if not self.training:
            return x - self.running_mean  # (B, D) - (D,)
        if len(x) == 0:
            raise ValueError("a batch without examples has no mean")
        mean = x.mean(dim=0)  # (B, D) -> (D,)
        self.running_mean.lerp_(mean.detach(), self.momentum)
        return x - mean  # (B, D) - (D,)


class TorchClassifier(nn.Module):
    """`Classifier` on the library's module and layers."""

    def __init__(self, n_hidden):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, n_hidden), TorchCenter(n_hidden), nn.ReLU())
        self.head = nn.Linear(n_hidden, 10)

    def forward(self, images):
        return self.head(self.body(images))


torch.manual_seed(0)
theirs = TorchClassifier(n_hidden=32)
our_shapes = {name: tensor.shape for name, tensor in start.items()}
their_shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
print(f"{len(our_shapes)} names and shapes on our list, {len(their_shapes)} on theirs")
assert our_shapes == their_shapes
for name, tensor in start.items():
    assert torch.equal(tensor, theirs.state_dict()[name])  # the same seed, the same draws

# %% [markdown]
# Now a batch of pictures goes through both in float64. To compare the gradients we need a scalar, and the
# sum of the scores would hide some faults. So each score is multiplied by a random number first, its
# cotangent (4.2). Outputs, gradients and buffers must be equal.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
n_train = 4000  # the rest is for validation (3.1)
valid_images = train_images[n_train:]  # (1000, 28, 28)
valid_labels = train_labels[n_train:]  # (1000,)

few = train_images[:7].double()  # (7, 28, 28)
cotangent = torch.randn(7, 10, dtype=torch.float64)
our_scores = ours.double()(few)
their_scores = theirs.double()(few)
(our_scores * cotangent).sum().backward()
(their_scores * cotangent).sum().backward()

compared = [(our_scores, their_scores)]
compared += [(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items()]
for (_, our_parameter), their_parameter in zip(ours.named_parameters(), theirs.parameters(), strict=True):
    compared.append((our_parameter.grad, their_parameter.grad))
largest = max((a - b).abs().max().item() for a, b in compared)
print(f"largest difference in outputs, gradients and buffers: {largest:.1e}")
assert largest < 1e-10

# %% [markdown]
# ## Training, and forgetting `eval`
#
# An optimizer does not ask who made the list. It takes the tensors, so our module trains with the
# library's optimizer.

# %%
torch.manual_seed(0)
model = Classifier(n_hidden=32)
optimizer = torch.optim.SGD([parameter for _, parameter in model.named_parameters()], lr=0.2)
for epoch in range(3):
    for chosen in torch.randperm(n_train).split(50):
        scores = model(train_images[chosen])  # (B, 28, 28) -> (B, 10)
        loss = F.cross_entropy(scores, train_labels[chosen])  # (B, 10) and (B,) -> ()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}   loss of the last batch {loss.item():.4f}")

# %% [markdown]
# In training mode, a picture is centred by the mean of the batch in which it arrives. What will happen if
# we forget `eval()` and classify the validation pictures one at a time, or two, or fifty? In the mode for
# use we expect the same accuracy for every batch size.


# %%
def accuracy(model, images, labels, batch_size):
    """Share of correct answers, `batch_size` pictures at a time, in the current mode; NaN without any."""
    with torch.no_grad():
        scores = torch.cat([model(part) for part in images.split(batch_size)])  # (n, 10)
    return (scores.argmax(dim=1) == labels).double().mean().item()


batch_sizes = [1, 2, 5, 10, 50, 200]
trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
in_use = [accuracy(model.eval(), valid_images, valid_labels, size) for size in batch_sizes]
same_after_use = all(torch.equal(trained[name], tensor) for name, tensor in model.state_dict().items())
forgotten = [accuracy(model.train(), valid_images, valid_labels, size) for size in batch_sizes]
mean_moved = (model.state_dict()["body.2.running_mean"] - trained["body.2.running_mean"]).abs().max().item()
model.load_state_dict(trained)

print(f"{'pictures at a time':20s}" + "".join(f"{size:9d}" for size in batch_sizes))
print(f"{'eval':20s}" + "".join(f"{value:9.3f}" for value in in_use))
print(f"{'eval forgotten':20s}" + "".join(f"{value:9.3f}" for value in forgotten))
print(f"with eval: state unchanged {same_after_use}; without: running mean moved by {mean_moved:.3f}")

# %% [markdown]
# A picture that comes alone is its own mean, so it is centred to zero and every picture gets the same
# answer. With more pictures at a time the batch mean comes closer to the running mean, and the accuracy
# comes closer to that with `eval`. And there is a second fault in the last line: measuring in training
# mode _changes_ the model, because the running mean goes on learning from the validation pictures. So we
# loaded the saved state back.
#
# How does the running mean learn, and when does it stop? We feed a `Center` of raw pixels with pictures
# of all classes, then switch it to use, and send only trousers, which have a gap between the legs at the
# pixel that we watch.

# %%
center = Center(784)
pixel = 20 * 28 + 14  # row 20, column 14
all_kinds = train_images[:n_train].flatten(1)  # (4000, 28, 28) -> (4000, 784)
trousers = all_kinds[train_labels[:n_train] == CLASSES.index("trouser")]
batch_means = []
running_means = []
for step in range(90):
    if step < 70:
        center.train()
        first = 20 * step
        batch = all_kinds[first : first + 20]  # (20, 784)
    else:
        center.eval()
        first = 20 * (step - 70)
        batch = trousers[first : first + 20]  # (20, 784)
    centered = center(batch)
    batch_means.append(batch[:, pixel].mean().item())
    running_means.append(center.running_mean[pixel].item())

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(batch_means, "o", fillstyle="none", markersize=4, color="C0", label="mean of the batch")
left.plot(running_means, color="C1", label="running mean (the buffer)")
left.axvline(69.5, color="0.7", linewidth=0.8, zorder=0)
left.text(70.5, 0.95, "eval()", color="0.3")
left.set(xlabel="batch", ylabel="ink of one pixel", ylim=(0, 1.3), title="One pixel's mean, batch by batch")
left.legend(loc="upper left")
right.semilogx(batch_sizes, in_use, "s-", color="C0", label="eval")
right.semilogx(batch_sizes, forgotten, "o--", color="C1", label="eval forgotten")
right.set(xlabel="pictures at a time", ylabel="validation accuracy", ylim=(0, 1))
right.set_xticks(batch_sizes, batch_sizes)
right.minorticks_off()
right.set_title("Accuracy by batch size")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# On the left the circles scatter, and the running mean is a smoothed version of them, which begins at
# zero and takes a few dozen batches to arrive. To the right of the vertical line the circles are low,
# because only trousers come, and the running mean does not move any more. The right panel shows the
# table: the accuracy with `eval` is level, and without it a picture must come with many others to be
# answered well.
#
# ## What a module does not find
#
# `nn.Module` registers what is assigned to it _directly_. A Python list of layers is neither a parameter
# nor a module, so nothing inside is found, trained or saved, and no error tells. `nn.ModuleList` is a
# list that is a module. In the same way, a plain tensor is no buffer. How many parameters will each of
# the two modules below report?


# %%
class Stack(nn.Module):
    """Two linear layers in a container of the given class, and a scale that is or is not registered."""

    def __init__(self, container, register):
        super().__init__()
        self.layers = container([nn.Linear(4, 4), nn.Linear(4, 4)])
        if register:
            self.register_buffer("scale", torch.ones(4))
        else:
            self.scale = torch.ones(4)


stacks = {"list": Stack(list, register=False), "ModuleList": Stack(nn.ModuleList, register=True)}
counts = {}
for name, stack in stacks.items():
    counts[name] = sum(parameter.numel() for parameter in stack.double().parameters())
    print(f"{name:12s}{counts[name]:4d} parameters", end="   ")
    print(f"{len(stack.state_dict())} tensors in the state dict   scale {stack.scale.dtype}")

# %% [markdown]
# The first reports none at all, and its scale stayed behind in float32 when the model became float64. It
# would have stayed behind on the CPU as well.
#
# ## A new last layer, and a frozen body
#
# A trained network can serve a new task. We replace its last layer, the head, and keep the rest as it is,
# which is called frozen: its parameters get no gradient and are not given to the optimizer. Here the new
# question is where a garment is worn (torso, legs, feet or hand), and we have only 200 labelled pictures
# for it. Does it help that the body was trained on ten classes? As a control we freeze a body with random
# weights. (The learning rate is so large because the control, the random body, needs it. At twice this
# rate the control gains about half a point, and at four times another half; the trained body hardly
# changes.) There is one trap: what else must be stopped from changing in the frozen part?

# %%
WORN = ("torso", "legs", "feet", "hand")
PLACES = {"trouser": "legs", "sandal": "feet", "sneaker": "feet", "boot": "feet", "bag": "hand"}
place_of_class = torch.tensor([WORN.index(PLACES.get(name, "torso")) for name in CLASSES])  # (10,)
few_images = train_images[:200]
few_places = place_of_class[train_labels[:200]]  # (10,) at (200,) -> (200,)


def with_new_head(model, keep_in_eval, n_steps=300, learning_rate=4.0):
    """Freeze a TorchClassifier's body, give it a head for four places and train that; returns the model."""
    model.requires_grad_(False)  # all parameters; the new head comes afterwards
    model.head = nn.Linear(model.head.in_features, len(WORN))
    optimizer = torch.optim.SGD(model.head.parameters(), lr=learning_rate)
    for _ in range(n_steps):
        model.train()
        if keep_in_eval:
            model.body.eval()
        loss = F.cross_entropy(model(few_images), few_places)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


valid_places = place_of_class[valid_labels]
new_head_accuracy = {"trained body": [], "random body": []}
for seed in range(4):
    torch.manual_seed(seed)
    random_body = TorchClassifier(n_hidden=32)
    for part in train_images[:n_train].split(50):  # in training mode, so that its running mean fits
        _ = random_body(part)  # only the running mean is wanted
    random_body = with_new_head(random_body, keep_in_eval=True)
    trained_body = TorchClassifier(n_hidden=32)
    trained_body.load_state_dict(trained)  # the state dict of our own module fits
    trained_body = with_new_head(trained_body, keep_in_eval=True)
    new_head_accuracy["random body"].append(accuracy(random_body, valid_images, valid_places, 200))
    new_head_accuracy["trained body"].append(accuracy(trained_body, valid_images, valid_places, 200))
for name, values in new_head_accuracy.items():
    print(f"{name:20s}validation accuracy " + " ".join(f"{value:.3f}" for value in values))

careless = TorchClassifier(n_hidden=32)
careless.load_state_dict(trained)
careless = with_new_head(careless, keep_in_eval=False)
frozen_states = {}
for name, network in {"body in eval": trained_body, "body in train": careless}.items():
    state = network.state_dict()
    frozen_states[name] = {key: torch.equal(state[key], trained[key]) for key in trained if "body" in key}
    print(f"{name:20s}unchanged: {frozen_states[name]}")
trainable = sum(parameter.numel() for parameter in trained_body.parameters() if parameter.requires_grad)
print(f"parameters that are trained: {trainable} of {sum(p.numel() for p in trained_body.parameters())}")

# %% [markdown]
# The trained body is better with each of four random starts of the head, on the same few pictures. (It is
# one trained body, from one training, against four random ones.) The last lines show the trap.
# `requires_grad_(False)` stops the parameters only. A buffer is moved by `forward`, so in training mode
# the running mean of the "frozen" body drifted away. A frozen part must be in `eval` mode, too, each time
# after `model.train()`.
#
# ## To a file and back
#
# We save the state dict and not the object, because names and numbers outlive a renamed class or a moved
# file. An object would be saved by Python's `pickle`, a format whose files may contain calls of any
# function. If you load such a file, you run its author's code. `weights_only=True` allows tensors and
# plain containers and refuses the rest. It has been the default since PyTorch 2.6, but we write it down
# for the reader. What happens if the file belongs to another model?

# %%
file = io.BytesIO()  # stands for open("model.pt", "wb")
torch.save(trained_body.state_dict(), file)
n_bytes = file.tell()
file.seek(0)
state = torch.load(file, weights_only=True)

fresh = TorchClassifier(n_hidden=32)
try:
    fresh.load_state_dict(state)
    refusal = "none"
except RuntimeError as error:
    refusal = str(error).splitlines()[-1].strip()
print(f"{n_bytes:,} bytes; into a fresh network:", refusal)
fresh.head = nn.Linear(32, len(WORN))
outcome = fresh.load_state_dict(state)
print("with the new head:", outcome)
assert torch.equal(fresh.eval()(valid_images), trained_body(valid_images))

# %% [markdown]
# The fresh network still has ten outputs, so the file is refused, with both shapes in the message. After
# its head has been replaced it takes the file and gives the same scores.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert max(in_use) - min(in_use) < 0.005 and in_use[0] > 0.7, "with eval the batch size does not matter"
assert forgotten[0] < 0.2, "without eval, a picture that comes alone is hardly ever answered right"
assert forgotten[:4] == sorted(forgotten[:4]), "without eval, up to ten at a time, more are answered better"
assert same_after_use and mean_moved > 0.01, "measuring in training mode changes the model"
assert len(set(running_means[69:])) == 1, "in use the running mean does not move"
assert np.mean(batch_means[70:]) < 0.5 * running_means[-1], "trousers have little ink at that pixel"
assert counts == {"list": 0, "ModuleList": 2 * (4 * 4 + 4)}, "a plain list hides its layers"
trained_worst = min(new_head_accuracy["trained body"])
assert trained_worst > max(new_head_accuracy["random body"]), "the trained body helps the new task"
assert all(frozen_states["body in eval"].values()), "in eval mode a frozen body does not change"
changed = [name for name, same in frozen_states["body in train"].items() if not same]
assert changed == ["body.2.running_mean"], "in training mode the buffer of a frozen body drifts"
assert "head.bias" in refusal or "head.weight" in refusal, "a file of another shape is refused by name"

# %% [markdown]
# ## Going further
#
# Three things that you will meet in other people's models: shared parameters (12.8), hooks, with which
# lessons 4.7, 7.5 and 10.1 look into a network, and the habits of a well-made module. Nothing above needs
# them.
#
# ### One parameter in two places
#
# Language models often use the same matrix to read words and to write them. A parameter that is assigned
# twice is one parameter. It is counted once, receives the gradients of both uses, and stands in the file
# under both names.

# %%
tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh(), nn.Linear(6, 6, bias=False))
tied[2].weight = tied[0].weight
tied_names = [name for name, _ in tied.named_parameters()]
print("parameters:", tied_names, "  in the file:", list(tied.state_dict()))

# %% [markdown]
# ### Hooks: looking in without changing the code
#
# Our module calls `forward` and nothing else. The real one also calls *hooks*, functions that were
# registered and that see a module's inputs or its output. One short function can so tell what passes
# through any model, and what each part costs. Hooks stay until they are removed, so we remove them.


# %%
def summary(model, x):
    """Rows (name, class, output shape, parameters) of the innermost modules, in the order they run on x."""
    rows = []
    handles = []

    def writer(name):
        def write(module, inputs, output):
            n_parameters = sum(parameter.numel() for parameter in module.parameters())
            rows.append((name, type(module).__name__, tuple(output.shape), n_parameters))

        return write

    for name, module in model.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(writer(name)))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return rows


for name, kind, shape, count in summary(trained_body, valid_images[:1]):
    print(f"{name:20s}{kind:16s}{shape!s:>12s}{count:12d}")

# %% [markdown]
# ### A module that colleagues like
#
# Linear layers with a nonlinearity between them are called a multilayer perceptron, or MLP (chapter 5).
# Here is one with good habits. Sizes are arguments and do not stand as numbers in the middle. `forward`
# computes and changes nothing. No device is named, because the model lives where `.to` puts it. A wrong
# shape is refused with both shapes in the message. And `extra_repr` says what the constructor was told,
# so that `print(model)` is enough.


# %%
class MLP(nn.Module):
    """Linear layers of sizes[0] -> ... -> sizes[-1] with ReLU between them; flattens all but the batch.

    Raises ValueError if there are fewer than two sizes, or a batch does not flatten to (B, sizes[0]).
    """

    def __init__(self, sizes):
        super().__init__()
        self.sizes = tuple(sizes)
        if len(self.sizes) < 2:
            raise ValueError(f"a network needs at least two sizes, got {self.sizes}")
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(sizes, sizes[1:]))

    def extra_repr(self):
        return f"sizes={self.sizes}"

    def forward(self, x):
        x = x.flatten(1)  # (B, ...) -> (B, N)
        if x.shape[1] != self.sizes[0]:
            raise ValueError(f"expected (B, {self.sizes[0]}), got {tuple(x.shape)}")
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


mlp = MLP([784, 32, 10])
print(mlp)
try:
    mlp(valid_images[:5, :14])
    complaint = "none"
except ValueError as error:
    complaint = str(error)
print("half a picture:", complaint)

# %%
assert tied_names == ["0.weight"], "a tied parameter is listed once"
rows = summary(TorchClassifier(n_hidden=32), valid_images[:1])
n_counted = sum(count for *_, count in rows)
assert n_counted == 784 * 32 + 32 + 32 * 10 + 10, "the rows of the summary add up to the whole network"
assert complaint == "expected (B, 784), got (5, 392)", "a wrong shape is refused with both shapes"

# %% [markdown]
# ## What to remember
#
# - A module lists parameters, which are trained, and buffers, which are only saved. Modules inside put
#   their name in front.
# - Assign layers directly, or in `ModuleList` and `Sequential`. A plain list and a plain tensor are not
#   found, and no error tells.
# - `train` and `eval` switch all modules inside. If `eval` is forgotten, answers depend on the batch, and
#   measuring changes the model.
# - To freeze a part, stop its gradients and keep it in `eval`, because buffers move without gradients.
# - Save the state dict, load it with `weights_only=True`, and keep the strict check of the names.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Make the layer of the figure with `Center(784, momentum=1)`. What is its running mean now, and what
#    will the curve of the left panel look like, before and after the vertical line?
# 2. Set `learning_rate=4.0` of `with_new_head` to `0.0`. What are the accuracies of the new heads
#    compared with now, and which lines of the output stay as they are?
# 3. From a blank cell: write a `ModuleList` for our own `Module`, so that a list of two of our
#    `Linear(4, 4)` reports forty parameters under the names `0.weight`, `0.bias`, `1.weight`, `1.bias`.
#    Compare the names with those of `nn.ModuleList`.
#
# ## Sources
#
# - A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", NeurIPS
#   2019, section 4: models as ordinary programs.
# - S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, section 3.1: running statistics for use.
#   Reproduced: test_center_keeps_the_mean_that_batch_norm_keeps.
# - PyTorch documentation, _Modules_ and _Saving and loading models_.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the pictures.
