# %% [markdown]
# # 4.3 nn.Module: a box with a list of its contents on the lid
#
# Moving house goes well when every box has a list on its lid, and a box inside a box hands its list
# outward: *kitchen, drawer, spoons*. A network is boxes in boxes. Training needs every weight in it,
# saving needs every name, and nobody wants to keep those lists by hand. `nn.Module` is the box that keeps
# its own list.
#
# **You will build** a `Module` of forty lines, layers on it, and a network that trains; then you meet the
# real one, which must list the same names. **You need** classes in Python, autograd (4.2) and the XOR
# network of lesson 3.6.

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
# A *linear layer* from three numbers to two computes $x W^\top + b$. It has a weight for each pair,
# $2 \cdot 3 = 6$, and a bias for each output, $2$: eight parameters. A second one from two to one has
# $2 + 1 = 3$. A network of both has eleven, and their names should say where each lives.

# %%
torch.manual_seed(0)
pair = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
for name, parameter in pair.named_parameters():
    print(f"{name:20s}{str(tuple(parameter.shape)):>12s}{parameter.numel():12d}")
assert sum(parameter.numel() for parameter in pair.parameters()) == (2 * 3 + 2) + (2 + 1) == 11

# %% [markdown]
# ## From scratch: the box
#
# Python already keeps a list of what an object holds: `vars(self)`. Our box walks through it. What is an
# `nn.Parameter`, a tensor marked "to be trained", goes on the list; what is itself a box is asked for its
# own list, with its name in front.
#
# Some state is not trained and yet belongs to the model, such as an average it keeps. That is a *buffer*,
# and the box must be told.


# %%
class Module:
    """A box of parameters, buffers and other boxes, with the names and the meaning of `nn.Module`."""

    def __init__(self):
        self.training, self._buffer_names = True, []

    def __call__(self, *args):
        return self.forward(*args)

    def children(self):
        """The boxes directly inside, as (name, box) pairs."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def named_parameters(self, prefix=""):
        """Yield (name, parameter): our own first, then those of the boxes inside, as `inside.name`."""
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
        """Tell this box and all inside whether they are being trained; returns the box."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self


# %% [markdown]
# ## Layers to put in
#
# A layer is a box with a `forward`. `Linear` starts from numbers spread evenly over
# $\pm 1/\sqrt{n_\text{in}}$, as the library's does (lesson 6.5 asks why). ReLU and Flatten have nothing
# to keep. `Sequential` stores its layers under the names 0, 1, 2, … and that is all it takes for `vars`
# to find them.


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
        return x.reshape(len(x), -1)  # (B, ...) -> (B, N)


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
# ## A layer with a memory
#
# `Center` shifts each feature so that the batch has mean zero. At prediction time there may be only one
# example, so it keeps a running mean $r$ of the batch means $m$, and uses that instead:
#
# $$r \leftarrow (1 - \mu)\, r + \mu\, m .$$
#
# The mean is state but no parameter: no gradient moves it. It is a buffer, and the layer behaves
# differently in training and in use.


# %%
class Center(Module):
    """Subtracts the mean of each feature: the batch's in training, the running one in use.

    x: (B, n_features); momentum: the share μ of each new batch in the running mean.
    """

    def __init__(self, n_features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(n_features))

    def forward(self, x):
        if not self.training:
            return x - self.running_mean  # (B, D) - (D,)
        mean = x.mean(dim=0)  # (B, D) -> (D,)
        self.running_mean.lerp_(mean.detach(), self.momentum)  # in place: r + μ (m - r)
        return x - mean  # (B, D) - (D,)


# %% [markdown]
# Boxes in a box: a network with a name for each part. The list comes out by itself.


# %%
class Classifier(Module):
    """Class scores for pictures (B, 28, 28): flatten, hidden layer, center, ReLU, scores (B, 10)."""

    def __init__(self, n_hidden):
        super().__init__()
        self.body = Sequential(Flatten(), Linear(784, n_hidden), Center(n_hidden), ReLU())
        self.head = Linear(n_hidden, 10)

    def forward(self, images):
        return self.head(self.body(images))


torch.manual_seed(0)
model = Classifier(n_hidden=32)
for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
    kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
    print(f"{name:24s}{kind:12s}{tuple(tensor.shape)}")

# %% [markdown]
# ## Saving and loading by name
#
# A *state dict* maps every name to its tensor. Loading copies values into the tensors that are there, and
# refuses names that do not fit: a wrong file should fail when it is loaded, not later with strange
# results.


# %%
def state_dict(self):
    """A dict from name to tensor: all parameters and buffers, without history, sharing their memory."""
    return {name: t.detach() for name, t in [*self.named_parameters(), *self.named_buffers()]}


def load_state_dict(self, state):
    """Copy the values of `state` into this box; raises ValueError where names or shapes do not fit."""
    own = self.state_dict()
    if own.keys() != state.keys():
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, not {tuple(state[name].shape)}")
    for name, tensor in own.items():
        tensor.copy_(state[name])


Module.state_dict, Module.load_state_dict = state_dict, load_state_dict

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Module` keeps its list as you assign: setting an attribute that is a parameter or a module registers
# it. It must list the same names and shapes, buffers included. The library has no `Center`; we write it
# as an `nn.Module`, which shows that a layer of one's own needs no more than before.


# %%
class TorchCenter(nn.Module):
    """`Center` on the library's box."""

    def __init__(self, n_features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(n_features))

    forward = Center.forward


class TorchClassifier(nn.Module):
    """`Classifier` on the library's box and layers."""

    def __init__(self, n_hidden):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, n_hidden), TorchCenter(n_hidden), nn.ReLU())
        self.head = nn.Linear(n_hidden, 10)

    def forward(self, images):
        return self.head(self.body(images))


torch.manual_seed(0)
torch_model = TorchClassifier(n_hidden=32)
ours = {name: tensor.shape for name, tensor in model.state_dict().items()}
theirs = {name: tensor.shape for name, tensor in torch_model.state_dict().items()}
print(f"{len(ours)} names and shapes on our list, {len(theirs)} on theirs")
assert ours == theirs
order = [name for name, _ in torch_model.named_parameters()]
assert [name for name, _ in model.named_parameters()] == order

# %% [markdown]
# The same seed, the same draws: even the first weights agree. Now a batch of pictures goes through both
# in float64, and a random slope comes back. Outputs, gradients and buffers have to be equal. For the
# conversion our box needs one more method; replacing `data` keeps each tensor the same object, so that an
# optimizer that holds it is not fooled. The library's batch norm (lesson 8.3) keeps a running mean by our
# rule, and bears witness for `Center`.


# %%
def double(self):
    """Make every parameter and buffer float64, in place; returns the box."""
    for tensor in [*dict(self.named_parameters()).values(), *dict(self.named_buffers()).values()]:
        tensor.data = tensor.data.double()
    return self


Module.double = double

with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

assert all(torch.equal(ours, torch_model.state_dict()[name]) for name, ours in model.state_dict().items())
x, cotangent = train_images[:7].double(), torch.randn(7, 10, dtype=torch.float64)
scores = [network(x) for network in (model.double(), torch_model.double())]
for out in scores:
    (out * cotangent).sum().backward()

# %%
pairs = [scores] + [(ours, torch_model.state_dict()[name]) for name, ours in model.state_dict().items()]
for (_, ours), theirs in zip(model.named_parameters(), torch_model.parameters(), strict=True):
    pairs.append((ours.grad, theirs.grad))
largest = max((ours - theirs).abs().max().item() for ours, theirs in pairs)
print(f"largest difference in outputs, gradients and buffers: {largest:.1e}")
assert largest < 1e-10

ours, witness = Center(5).double(), nn.BatchNorm1d(5, affine=False, momentum=0.1).double()
for _ in range(3):
    batch = torch.randn(4, 5, dtype=torch.float64)
    centered, _ = ours(batch), witness(batch)
torch.testing.assert_close(ours.running_mean, witness.running_mean, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Training it
#
# An optimizer does not ask who made the list: it takes the tensors. So our box trains with the library's.

# %%
torch.manual_seed(0)
model = Classifier(n_hidden=32)
optimizer = torch.optim.SGD([parameter for _, parameter in model.named_parameters()], lr=0.2)
batch_size, n_epochs = 50, 3
for epoch in range(n_epochs):
    for chosen in torch.randperm(len(train_images)).split(batch_size):
        x, y = train_images[chosen], train_labels[chosen]  # (B, 28, 28) and (B,)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}   loss of the last batch {loss.item():.4f}")

# %% [markdown]
# ## What happens if you forget `eval`?
#
# In training mode a picture is centred by the batch it arrives in. So its class would depend on its
# company, and a picture that comes alone is centred to zero: every such picture gets the same answer.
# `train(False)`, which the library also calls `eval()`, switches the whole box to the running mean.


# %%
def accuracy(model, images, labels, batch_size):
    """Share of correct answers, `batch_size` pictures at a time, in the model's current mode."""
    with torch.no_grad():
        scores = torch.cat([model(x) for x in images.split(batch_size)])  # (n, 10)
    return (scores.argmax(dim=1) == labels).double().mean().item()


batch_sizes = [1, 2, 5, 10, 50, 200]
trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
in_use = [accuracy(model.train(False), test_images, test_labels, size) for size in batch_sizes]
assert all(torch.equal(trained[name], tensor) for name, tensor in model.state_dict().items())
forgotten = [accuracy(model.train(), test_images, test_labels, size) for size in batch_sizes]

print(f"{'pictures at a time':20s}" + "".join(f"{size:12d}" for size in batch_sizes))
print(f"{'in use':20s}" + "".join(f"{value:12.3f}" for value in in_use))
print(f"{'eval forgotten':20s}" + "".join(f"{value:12.3f}" for value in forgotten))
assert max(in_use) - min(in_use) < 0.005 and in_use[0] > 0.7
assert forgotten[0] < 0.15 and forgotten[1] < in_use[0] - 0.1

# %% [markdown]
# And worse: measuring in training mode *changes* the model, because the running mean goes on learning
# from the test pictures. We load the saved state back. For the figure, one pixel's batch means and the
# running mean that smooths them. At the vertical line the layer is put to use, and only trousers arrive,
# which have a gap at that place: they no longer move it.

# %%
name = "body.2.running_mean"
print(f"the running mean moved by up to {(model.state_dict()[name] - trained[name]).abs().max().item():.3f}")
assert not torch.equal(model.state_dict()[name], trained[name])
model.load_state_dict(trained)

center, pixel, means, running = Center(784), 20 * 28 + 14, [], []
pictures = train_images.flatten(1)  # (5000, 28, 28) -> (5000, 784)
trousers = pictures[train_labels == 1]
for step in range(90):
    source, start = (pictures, 20 * step) if step < 70 else (trousers, 20 * (step - 70))
    x = source[start : start + 20]  # (20, 784)
    centered = center.train(step < 70)(x)
    means.append(x[:, pixel].mean().item())
    running.append(center.running_mean[pixel].item())
assert len(set(running[69:])) == 1 and abs(running[-1] - pictures[:1400, pixel].mean()) < 0.1
assert np.mean(means[70:]) < 0.5 * running[-1]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(means, "o", fillstyle="none", markersize=4, color="C0", label="mean of the batch")
left.plot(running, color="C1", label="running mean (the buffer)")
left.axvline(69.5, color="0.7", linewidth=0.8, zorder=0)
left.set(
    xlabel="batch",
    ylabel="ink of one pixel",
    title="A buffer learns in training and rests in use",
    ylim=(0, 1.1),
)
left.legend(loc="upper right")
right.semilogx(batch_sizes, in_use, "s-", color="C0", label="in use")
right.semilogx(batch_sizes, forgotten, "o--", color="C1", label="eval forgotten")
right.set(xlabel="pictures at a time", ylabel="accuracy on test pictures", ylim=(0, 1))
right.set_xticks(batch_sizes, batch_sizes)
right.set(title="Without eval, the answer depends on the company")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## Where the real box is stricter than it looks
#
# `nn.Module` registers what is assigned to it directly. A Python list of layers is neither parameter nor
# module: nothing inside is found, trained or saved, and nothing is said. `nn.ModuleList` is the list that
# is a module. In the same way a plain tensor is not a buffer: it is not saved, and does not follow when
# the model changes its type or device.


# %%
class Stack(nn.Module):
    """Two linear layers in a container made by `container`, and a scale that is or is not registered."""

    def __init__(self, container, register):
        super().__init__()
        self.layers = container([nn.Linear(4, 4), nn.Linear(4, 4)])
        if register:
            self.register_buffer("scale", torch.ones(4))
        else:
            self.scale = torch.ones(4)


for container, register in ((list, False), (nn.ModuleList, True)):
    stack = Stack(container, register).double()
    names = list(stack.state_dict())
    count = sum(parameter.numel() for parameter in stack.parameters())
    print(f"{container.__name__:12s}{count:4d} parameters   scale {stack.scale.dtype}")
    assert count == (2 * (4 * 4 + 4) if register else 0)
    assert names == (
        ["scale"] + [f"layers.{i}.{n}" for i in (0, 1) for n in ("weight", "bias")] if register else []
    )

# %% [markdown]
# One parameter in two places is one parameter: language models use the same matrix to read words and to
# write them (lesson 12.8). It is listed once, counted once, and receives the gradients of both uses.

# %%
tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh(), nn.Linear(6, 6, bias=False))
tied[2].weight = tied[0].weight
print("parameters:", [name for name, _ in tied.named_parameters()], "  in the file:", list(tied.state_dict()))
assert sum(parameter.numel() for parameter in tied.parameters()) == 36

# %% [markdown]
# ## Hooks: looking in without opening
#
# Our box calls `forward` and nothing else. The real one also calls *hooks*, functions that you registered,
# which see a module's inputs before `forward` or its output after it. With them, one short function tells
# of any model what passes through it, and what each part costs.


# %%
def summary(model, x):
    """Rows (name, class, output shape, parameters) of the innermost modules, in the order they run on x."""
    rows, handles = [], []
    for name, module in model.named_modules():
        if not list(module.children()):

            def note(module, inputs, output, name=name):
                count = sum(parameter.numel() for parameter in module.parameters())
                rows.append((name, type(module).__name__, tuple(output.shape), count))

            handles.append(module.register_forward_hook(note))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return rows


torch_model.float().load_state_dict(trained)  # our box's state fits the library's
rows = summary(torch_model.eval(), test_images[:1])
for name, kind, shape, count in rows:
    print(f"{name:20s}{kind:16s}{str(shape):>12s}{count:12d}")
assert sum(count for *_, count in rows) == sum(parameter.numel() for parameter in torch_model.parameters())
assert abs(accuracy(torch_model, test_images, test_labels, 200) - in_use[0]) < 0.005

# %% [markdown]
# ## To a file and back
#
# Save the state dict, not the object: the names and numbers outlive a renamed class or a moved file.
# `weights_only=True` loads tensors and refuses code, for a pickled file can run anything. A file with
# other names is refused, with both lists in the message.

# %%
file = io.BytesIO()  # stands for open("model.pt", "wb")
torch.save(torch_model.state_dict(), file)
size = file.tell()
file.seek(0)
fresh = TorchClassifier(n_hidden=32)
outcome = fresh.load_state_dict(torch.load(file, weights_only=True))
print(f"{size:,} bytes: {outcome}")
assert torch.equal(fresh.eval()(test_images), torch_model(test_images))

try:
    nn.Linear(784, 10).load_state_dict(torch_model.state_dict())
    refusal = "none"
except RuntimeError as error:
    refusal = str(error)
print(refusal.replace("\t", " "))
assert "Missing key" in refusal and "Unexpected key" in refusal

# %% [markdown]
# ## A module that colleagues like
#
# Linear layers with a bend between them are a *multilayer perceptron*, or MLP. Here is one with good
# manners. Sizes are arguments, not numbers in the middle. `forward` computes and changes nothing. No
# device is named: the model lives where `.to` puts it. A wrong shape is refused with both shapes, before
# a layer inside complains about a matrix. And `extra_repr` says what the constructor was told, so that
# `print(model)` is enough.


# %%
class MLP(nn.Module):
    """Linear layers of sizes[0] -> ... -> sizes[-1] with ReLU between them; flattens all but the batch.

    Raises ValueError where a batch does not flatten to (B, sizes[0]).
    """

    def __init__(self, sizes):
        super().__init__()
        self.sizes = tuple(sizes)
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
assert mlp(test_images[:5]).shape == (5, 10)
try:
    mlp(test_images[:5, :14])
    refusal = "none"
except ValueError as error:
    refusal = str(error)
print("half a picture:", refusal)
assert refusal == "expected (B, 784), got (5, 392)"

# %% [markdown]
# ## What to remember
#
# - A module is a box with a list: parameters are trained, buffers are only saved, modules inside put
#   their name in front.
# - Assign layers directly or in `ModuleList` and `Sequential`; a plain list or tensor is invisible,
#   without a word.
# - `train` and `eval` switch the whole box. Forget `eval`, and answers depend on the batch, and measuring
#   changes the model.
# - Save `state_dict`, load with `weights_only=True`, keep the strict check.
# - Hooks read any model from outside; remove them when you are done.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Give our `Module` a `ModuleList`. How few lines does it take, and what will its parameters be called?
# 2. Share one `Linear` between two places of our `Classifier`. How often does our box list it? Mend that.
# 3. Set `momentum=1` in `Center`. What is the running mean now, and what does the right figure look like?
#
# ## Sources
#
# - A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", NeurIPS
#   2019, section 4.
# - S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, section 3.1: running statistics for use.
# - PyTorch documentation, *Modules* and *Saving and loading models*.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the pictures.
