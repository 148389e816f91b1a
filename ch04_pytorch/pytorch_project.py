# %% [markdown]
# # 4.7 A PyTorch project: four files, one command, and two faults to find
#
# A notebook is good for finding something out. A program that several people use, that runs for a night
# on another machine, and that must still work after the next change, needs another form: files with one
# purpose each, a command that describes a run completely, and a test that takes seconds. Much of the work
# with neural networks is done in such a project: reading a model that somebody else wrote, running its
# training, and finding out why it broke.
#
# **You will build** a small project in a folder, train with it, resume, and read its log. Then a
# colleague's two changes break it, once loudly and once silently, and you find both faults. **You need**
# autograd (4.2), modules and hooks (4.3) and checkpoints (4.4). **It takes** about half a minute, most of
# it for starting Python again and again.

# %%
import atexit
import csv
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# To read a model, follow the shapes from layer to layer. Ours takes pictures of 14 by 14 pixels through
# a hidden layer of 32 units to 10 scores. A linear layer with a weight of shape
# $(n_\text{out}, n_\text{in})$ turns $(B, n_\text{in})$ into $(B, n_\text{out})$. For a batch of five:
#
# $$\begin{aligned}
#   \text{pictures} \quad & (5, 14, 14) \\
#   \text{flatten} \quad & (5, 14 \cdot 14) = (5, 196) \\
#   \text{hidden, weight } (32, 196) \quad & (5, 196) \to (5, 32) \\
#   \text{head, weight } (10, 32) \quad & (5, 32) \to (5, 10)
# \end{aligned}$$
#
# What would happen if somebody put a layer from 32 to 64 in between and left the head as it is? Write
# down the two shapes that would meet, because we will see them again in an error message.

# %%
batch_shape = (5, 14, 14)
flat_shape = (batch_shape[0], batch_shape[1] * batch_shape[2])
print(f"{batch_shape} -> {flat_shape} -> {(flat_shape[0], 32)} -> {(flat_shape[0], 10)}")

# %% [markdown]
# ## Four files
#
# The cells below write the project into a folder, which is removed when the lesson's process ends. While
# the notebook is open you can open the printed folder in your editor, or in a terminal, and run and
# change the files there. To keep the project, let `folder` be a folder of your own.

# %%
workshop = tempfile.TemporaryDirectory()
atexit.register(workshop.cleanup)
folder = Path(workshop.name)  # or: Path.home() / "clothes", and folder.mkdir(exist_ok=True)
print("the project is in", folder)


def write(name, text):
    """Write a file of the project."""
    (folder / name).write_text(text, encoding="utf-8")


# %% [markdown]
# Parts that change for different reasons live in different files. `model.py` says what is computed, and
# it knows nothing of files, devices or learning rates.

# %%
MODEL = '''"""The network."""

from torch import nn


class Classifier(nn.Module):
    """Class scores (B, 10) for pictures (B, 14, 14)."""

    def __init__(self, n_hidden):
        super().__init__()
        self.hidden = nn.Linear(196, n_hidden)
        self.head = nn.Linear(n_hidden, 10)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        x = x.flatten(1)
        x = self.hidden(x).relu()
        return self.head(x)
'''
write("model.py", MODEL)

# %% [markdown]
# `data.py` says where examples come from: the pictures are thinned to every second pixel, and the last
# thousand are for validation. For pictures of your own, this is the file to change, and it refuses what the
# model was not made for.

# %%
DATA = '''"""The pictures."""

import numpy as np
import torch
from torch.utils.data import TensorDataset


def load(path):
    """Training and validation set from a Fashion-MNIST archive: pictures (n, 14, 14) and labels (n,)."""
    with np.load(path) as archive:
        images = torch.from_numpy(archive["train_images"]).float() / 255
        labels = torch.from_numpy(archive["train_labels"]).long()
    if len(images) <= 1000 or images.shape[1:] != (28, 28):
        raise ValueError(f"{path} must hold over 1,000 pictures of 28 by 28, got {tuple(images.shape)}")
    images = images[:, ::2, ::2]
    return TensorDataset(images[:-1000], labels[:-1000]), TensorDataset(images[-1000:], labels[-1000:])
'''
write("data.py", DATA)

# %% [markdown]
# `train.py` is the only file that is run. Its first half is made of functions, which a test can import
# without starting a training. `watch` puts a hook (4.3) on every module, for the day on which something
# breaks. Checkpoints are written under another name and renamed, and loaded with `map_location`, so that
# a run that was begun on a GPU can go on where there is none (4.4). They hold the loader's generator and
# the CPU's global one. There is no scheduler here, because a run may be resumed with more epochs than
# were planned.

# %%
TRAIN_FUNCTIONS = '''"""Train the classifier; `python train.py --help` lists the settings."""

import argparse
import csv
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data import load
from model import Classifier


def finite_check(name):
    """A forward hook that raises FloatingPointError if the output of the module `name` is not finite."""

    def check(module, inputs, output):
        if not torch.isfinite(output).all():
            raise FloatingPointError(f"first seen at {name or 'the whole model'}: {tuple(output.shape)}")

    return check


def watch(model):
    """Put `finite_check` on every module."""
    for name, module in model.named_modules():
        module.register_forward_hook(finite_check(name))


def training_step(model, optimizer, x, y):
    """One step of gradient descent; returns the loss before it, as a tensor."""
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train_epoch(model, optimizer, batches, device):
    """One pass over `batches`; returns the mean of their losses."""
    model.train()
    losses = [training_step(model, optimizer, x.to(device), y.to(device)) for x, y in batches]
    return torch.stack(losses).mean().item()


@torch.no_grad()
def accuracy(model, batches, device):
    """Share of right answers."""
    model.eval()
    hits = [model(x.to(device)).argmax(dim=1).cpu() == y for x, y in batches]
    return torch.cat(hits).double().mean().item()


def save(path, model, optimizer, batches, epoch):
    """Write all that the next epoch depends on, replacing an older file in one step."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "loader": batches.generator.get_state(),
        "random": torch.get_rng_state(),
        "epoch": epoch,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def restore(path, model, optimizer, batches):
    """Put the state at `path` back, whatever device it was saved on; returns the number of epochs done."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    batches.generator.set_state(state["loader"])
    torch.set_rng_state(state["random"])
    return state["epoch"]
'''

# %% [markdown]
# The second half reads the command line with `argparse`, which turns the words after `python train.py`
# into attributes, checks their types, and writes the text of `--help`. So a run is described by its
# command alone, and nothing has to be edited to try another learning rate. The log is a plain table that
# any tool can read.
#
# The last two lines are the *main guard*. Python sets `__name__` to `"__main__"` in the file that is run
# and to the file's name in one that is imported. So `python train.py` trains, and
# `from train import training_step` in a test does not. Worker processes of a loader need the guard for
# the same reason (4.4).

# %%
TRAIN_MAIN = """

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--device", default=None, help="cpu, cuda, mps; without it the best there is")
    parser.add_argument("--resume", action="store_true", help="go on from last.pt in --out")
    parser.add_argument("--debug", action="store_true", help="slow, but says where a NaN is born")
    options = parser.parse_args()
    torch.autograd.set_detect_anomaly(options.debug)
    best_device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    device = torch.device(options.device or best_device)

    train_set, valid_set = load(options.data)
    generator = torch.Generator().manual_seed(0)
    batches = DataLoader(train_set, batch_size=50, shuffle=True, generator=generator)
    validation = DataLoader(valid_set, batch_size=500)
    torch.manual_seed(0)
    model = Classifier(n_hidden=32).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.learning_rate)
    first = 0
    if options.resume:
        first = restore(options.out / "last.pt", model, optimizer, batches)
    with open(options.out / "log.csv", "a" if options.resume else "w", encoding="utf-8", newline="") as file:
        log = csv.writer(file)
        if not options.resume:
            log.writerow(["epoch", "loss", "accuracy"])
        for epoch in range(first + 1, options.epochs + 1):
            loss = train_epoch(model, optimizer, batches, device)
            share = accuracy(model, validation, device)
            log.writerow([epoch, loss, share])
            print(f"epoch {epoch}   loss {loss:.4f}   accuracy {share:.3f}")
            save(options.out / "last.pt", model, optimizer, batches, epoch)


if __name__ == "__main__":
    main()
"""
TRAIN = TRAIN_FUNCTIONS + TRAIN_MAIN
write("train.py", TRAIN)

# %% [markdown]
# The last file is a test. Its two tests find more than one would think. Does the model answer batches of
# any size with the right shape, and do a few steps on one batch lower the loss? They run in seconds, so
# they can be run after every change.

# %%
TEST = '''"""Run with:  python -m unittest"""

import unittest

import torch

from model import Classifier
from train import training_step, watch


class TestProject(unittest.TestCase):
    def test_scores_for_any_batch(self):
        for n in (1, 7):
            self.assertEqual(Classifier(n_hidden=8)(torch.rand(n, 14, 14)).shape, (n, 10))

    def test_steps_lower_the_loss(self):
        torch.manual_seed(0)
        model = Classifier(n_hidden=8)
        x = torch.rand(5, 14, 14)
        y = torch.arange(5)
        watch(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = [training_step(model, optimizer, x, y).item() for _ in range(3)]
        self.assertLess(losses[-1], losses[0])
'''
write("test_project.py", TEST)

# %% [markdown]
# ## Train, stop, go on
#
# Each command runs in a process of its own, as it would in a terminal, with the project's folder as its
# place and nothing left over from this lesson. Its *return code* is zero if it ended well. We ask Python
# for output that a program can read on any system: UTF-8, and no colours.
#
# We train for some epochs, stop, and go on the next day. What should the log look like after the second
# run, and how can you tell from the losses that it really went on?


# %%
def run(*arguments):
    """Run Python with `arguments` in the project's folder; returns its return code and what it printed."""
    command = [sys.executable, *map(str, arguments)]
    settings = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", "PYTHON_COLORS": "0"}
    environment = {**os.environ, **settings}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


data = (HERE / "data" / "fashion_mnist.npz").resolve()
write("model.py", MODEL)  # also if this cell is run again after the faults
write("train.py", TRAIN)
first_code, output = run("train.py", "--data", data, "--epochs", 3, "--device", "cpu")
print(output, end="")
first_log = (folder / "log.csv").read_text(encoding="utf-8")

print("the next day:")
second_code, output = run("train.py", "--data", data, "--epochs", 6, "--device", "cpu", "--resume")
print(output, end="")
log_text = (folder / "log.csv").read_text(encoding="utf-8")

with open(folder / "log.csv", encoding="utf-8") as file:
    log_rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
epochs = [int(row["epoch"]) for row in log_rows]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(epochs, [row["loss"] for row in log_rows], "o-", color="C0")
left.set(xlabel="epoch", ylabel="training loss (nats)", ylim=0, title="Training loss from the log")
right.plot(epochs, [row["accuracy"] for row in log_rows], "s-", color="C1")
right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1), title="Validation accuracy from the log")
for ax in (left, right):
    ax.axvline(3.5, color="0.7", linewidth=0.8, zorder=0)
    ax.text(3.55, 0.05 * ax.get_ylim()[1], "resumed", color="0.3")
plt.show()

# %% [markdown]
# The lines of the first run still stand at the top of the log, and the numbering goes on. At the vertical
# line the loss continues downward. Had the second run begun from new weights, the loss would have jumped
# up to its first value. (A test of this lesson trains six epochs without a break and finds the same log,
# digit for digit.)
#
# ## Reading a model that you did not write
#
# Take three looks, from outside inward. `print` shows the parts and how they nest. The named parameters
# show where the weights are. Hooks show the shapes that really pass through, and so they reveal what
# `forward` does between its parts. In our model flatten and ReLU are calls inside `forward`, so `print`
# does not know them.


# %%
def load_module(path):
    """The module in the file at `path`, without making it importable for anyone else."""
    spec = importlib.util.spec_from_file_location(f"project_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shapes(model, x):
    """(name, input shape, output shape) of every module in the order they finish; stops where one fails.

    Returns the list and the error, or None. A module that fails is listed with None for its output.
    """
    seen = []
    entered = []  # modules that have begun and not finished, the innermost last
    handles = []

    def note_entry(name):
        def enter(module, inputs):
            entered.append((name, tuple(inputs[0].shape)))

        return enter

    def leave(module, inputs, output):
        name, input_shape = entered.pop()  # the innermost module that has begun is the one that ends
        seen.append((name, input_shape, tuple(output.shape)))

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(note_entry(name)))
        handles.append(module.register_forward_hook(leave))
    try:
        with torch.no_grad():
            model(x)
        error = None
    except RuntimeError as caught:
        error = caught
        seen.extend((*call, None) for call in reversed(entered))
    for handle in handles:
        handle.remove()
    return seen, error


write("model.py", MODEL)
torch.manual_seed(0)
model = load_module(folder / "model.py").Classifier(n_hidden=32)
print(model)
for name, parameter in model.named_parameters():
    print(f"{name:20s}{tuple(parameter.shape)!s:>12s}{parameter.numel():12d}")
pictures = torch.rand(batch_shape)
good_shapes, good_error = shapes(model, pictures)
for name, before, after in good_shapes:
    print(f"{name or 'the whole':20s}{before} -> {after}")

# %% [markdown]
# The last three lines are the shapes from the paper example. What enters `hidden` has been flattened, and
# neither of the first two looks had shown this.
#
# ## A loud fault
#
# A colleague adds a second hidden layer, and the test fails. A *traceback* is read from its end, because
# the last line says what happened, and the lines above say where, the innermost call last. Most of them
# belong to PyTorch, and the last one that belongs to _our_ files is the place to look at.


# %%
def our_lines(output, folder):
    """(file, line number, source line) of the traceback entries in `output` from `folder`, each once."""
    # two lines such as   File "/a/train.py", line 41, in main   and below it the source, indented
    pattern = r'File "([^"]+)", line (\d+), in .*\n\s+(.*)'
    found = [(Path(path), int(number), source) for path, number, source in re.findall(pattern, output)]
    ours = [entry for entry in found if entry[0].parent.resolve() == folder.resolve()]
    # the keys of a dict are kept in order, each once
    return list(dict.fromkeys((path.name, number, source) for path, number, source in ours))


def last_error(output):
    """The last line of `output` that names an error."""
    return [line for line in output.splitlines() if "Error:" in line][-1]


shape_fault = MODEL.replace(
    "        self.head =", "        self.second = nn.Linear(n_hidden, 64)\n        self.head ="
).replace("        return", "        x = self.second(x).relu()\n        return")
write("model.py", shape_fault)
shape_code, output = run("-m", "unittest")
shape_message = last_error(output)
print(f"return code {shape_code}\n{shape_message}")
trail = our_lines(output[output.rindex("Traceback") :], folder)
for file_name, number, source in trail:
    print(f"{file_name}, line {number}: {source}")

# %% [markdown]
# In this message, `mat1` is the batch that arrives and `mat2` the transposed weight. 64 numbers come in,
# and the layer was made for 8 (the test uses eight hidden units). Our last line is in `forward`, at the
# head. The shapes tell the same from the inside, and their list stops at the module that could not go on.

# %%
write("model.py", shape_fault)
torch.manual_seed(0)
broken = load_module(folder / "model.py").Classifier(n_hidden=32)
broken_shapes, broken_error = shapes(broken, pictures)
for name, before, after in broken_shapes:
    print(f"{name or 'the whole':20s}{before} -> {after or 'fails'}")
print(f"the head was made for {broken.head.in_features} numbers and gets {broken_shapes[2][1][1]}")

fixed_model = shape_fault.replace("nn.Linear(n_hidden, 10)", "nn.Linear(64, 10)")
write("model.py", fixed_model)

# %% [markdown]
# ## A silent fault
#
# Next the colleague adds a penalty on large weights to the loss, the length of each parameter,
# $\sqrt{\sum_i w_i^2}$. Training does not stop, and its return code is zero. But its loss is NaN, which
# means *not a number*. In the test our `watch` is on, and it raises an error at the first module whose
# output is not finite. Will that be the module that is to blame?

# %%
nan_fault = TRAIN.replace(
    "    loss = F.cross_entropy(model(x), y)\n",
    "    penalty = sum(p.square().sum().sqrt() for p in model.parameters())\n"
    "    loss = F.cross_entropy(model(x), y) + 1e-4 * penalty\n",
)
write("train.py", nan_fault)
silent_code, silent_output = run("train.py", "--data", data, "--epochs", 1, "--device", "cpu")
print(f"training: return code {silent_code}\n{silent_output.strip()}")
nan_code, output = run("-m", "unittest")
watch_message = last_error(output)
print(f"test: return code {nan_code}\n{watch_message}")

# %% [markdown]
# That is where the NaN was first _seen_, in the forward pass of the second step. But the layer `hidden`
# is not to blame, because its bias had become NaN in the first step. To find where a NaN is _born_ in a
# backward pass there is `detect_anomaly`. It checks what every node of the graph returns (4.2), and
# shows the forward line that made the node.

# %%
write("train.py", nan_fault)
debug_code, output = run("train.py", "--data", data, "--epochs", 1, "--device", "cpu", "--debug")
anomaly_message = last_error(output)
born = our_lines(output, folder)
print(f"return code {debug_code}\n{anomaly_message}")
for file_name, number, source in born:
    print(f"{file_name}, line {number}: {source}")

# %% [markdown]
# The node is `PowBackward0`, which belongs to the square, in the line of the penalty. The biases start
# at zero, and there the derivative of the root is infinite, the derivative of the square is zero, and
# the chain rule multiplies the two: $\infty \cdot 0$ is NaN. A colleague suggests adding a small number,
# $10^{-12}$. Does it matter whether it stands outside the root or inside?

# %%
lengths = {
    "bare": lambda b: b.square().sum().sqrt(),
    "eps outside": lambda b: b.square().sum().sqrt() + 1e-12,
    "eps inside": lambda b: (b.square().sum() + 1e-12).sqrt(),
}
bias = torch.zeros(3, requires_grad=True)
grads = {}
for name, length in lengths.items():
    (grads[name],) = torch.autograd.grad(length(bias), bias)
    print(f"{name:20s}{grads[name].tolist()}")

fixed_train = nan_fault.replace("p.square().sum().sqrt()", "(p.square().sum() + 1e-12).sqrt()")
write("model.py", fixed_model)
write("train.py", fixed_train)
fixed_code, output = run("-m", "unittest")
print("the test now says:", output.strip().splitlines()[-1], f"  return code {fixed_code}")

# %% [markdown]
# Inside the root the small number keeps the derivative finite. Outside it changes nothing, because a
# constant has no derivative. The test passes again.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert first_code == second_code == 0, "both trainings end well"
assert epochs == [1, 2, 3, 4, 5, 6], "the numbering of the log goes on"
assert log_text.startswith(first_log), "the second run leaves the lines of the first as they are"
assert log_rows[3]["loss"] < log_rows[2]["loss"], "the resumed run goes on where the first one stopped"
assert good_error is None and good_shapes[0] == ("hidden", (5, 196), (5, 32)), "hidden gets flat pictures"
assert shape_code != 0 and "(5x64 and 8x10)" in shape_message, "the message names both shapes"
assert trail[-1][0] == "model.py" and "self.head(x)" in trail[-1][2], "our last line is the head's"
assert broken_shapes[2] == ("head", (5, 64), None), "the list of shapes stops at the head"
assert silent_code == 0 and "loss nan" in silent_output, "the silent fault ends with return code zero"
assert nan_code != 0 and "first seen at hidden" in watch_message, "the hook sees the NaN at hidden"
assert debug_code != 0 and "PowBackward0" in anomaly_message, "detect_anomaly names the square"
assert any("sqrt()" in source for _, _, source in born), "and the line of the penalty"
assert grads["bare"].isnan().all() and grads["eps outside"].isnan().all(), "outside, eps changes nothing"
assert grads["eps inside"].tolist() == [0, 0, 0], "inside the root, eps keeps the gradient finite"
assert fixed_code == 0, "after both repairs the test passes"

# %% [markdown]
# ## What to remember
#
# - Model, data, training and test live in files of their own. A run is its command line, a log is a
#   table, a test takes seconds.
# - Functions first, then `main()` behind the main guard, so that files can be imported.
# - An unfamiliar model: `print`, the named parameters, then the shapes by hooks.
# - Read a traceback from its end, and look at the last line that is yours.
# - A hook tells where a NaN is first seen, `detect_anomaly` where it is born. Both are slow, so switch
#   them on for debugging only.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In `restore`, leave out the line with `batches.generator.set_state` (write `pass`). Does the log
#    still go on, and could you tell from the figure that something is missing?
# 2. Plant a fault that neither test finds: in `model.py`, let `forward` return `self.head(x).relu()`.
#    What do the training runs print, and which third test would have found it?
# 3. From a blank cell: write a third test, run it with `run("-m", "unittest")`, and let it pass for the
#    repaired project and fail for the fault of item 2.
#
# ## Sources
#
# - PyTorch documentation, _torch.autograd.detect_anomaly_ and _torch.nn.Module_ (hooks). Reproduced:
#   "detect_anomaly names the square".
# - A. Karpathy, "A recipe for training neural networks", 2019: steps on one batch as a test, look at
#   everything. Reproduced: test_the_projects_test_passes_and_finds_both_faults.
# - G. Wilson et al., "Good enough practices in scientific computing", _PLOS Computational Biology_ 13,
#   2017.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the pictures.
