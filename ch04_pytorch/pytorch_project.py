# %% [markdown]
# # 4.7 A PyTorch project: working in it as a colleague
#
# A notebook is a kitchen table; a project is a workshop. Several people use it, tools hang where everyone
# finds them, and each change must leave it working. Most of a programmer's days with neural networks are
# spent there: reading a model someone else wrote, running its training, and finding out why it broke.
#
# **You will build** a small project in a temporary folder, train it, resume it, and read its log; then a
# colleague's two changes break it, once loudly and once silently, and you find both faults. **You need**
# modules (4.3), checkpoints (4.4) and autograd (4.2). **It takes** about half a minute, most of it
# starting Python again and again.

# %%
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
workshop = tempfile.TemporaryDirectory()
folder = Path(workshop.name)

# %% [markdown]
# ## Four files
#
# The parts change for different reasons, so they live in different files. `model.py` says what is
# computed. It knows nothing of files, devices or learning rates.

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
n_written = (folder / "model.py").write_text(MODEL, encoding="utf-8")

# %% [markdown]
# `data.py` says where examples come from. Pictures are thinned to every second pixel; the last thousand
# are for validation.

# %%
DATA = '''"""The pictures."""

import numpy as np
import torch


def load(path):
    """Training and validation sets from a Fashion-MNIST archive: each (n, 14, 14) pictures, (n,) labels."""
    with np.load(path) as archive:
        images = torch.from_numpy(archive["train_images"]).float() / 255
        labels = torch.from_numpy(archive["train_labels"]).long()
    images = images[:, ::2, ::2]
    return (images[:-1000], labels[:-1000]), (images[-1000:], labels[-1000:])
'''
n_written = (folder / "data.py").write_text(DATA, encoding="utf-8")

# %% [markdown]
# `train.py` is the only one that is run. Its first half is functions that can be tested without running
# anything. `watch` is a hook (4.3) on every module, for the day when something breaks.

# %%
TRAIN_FUNCTIONS = '''"""Train:  python train.py --data fashion_mnist.npz --epochs 3 [--resume] [--debug]"""

import argparse
import csv
from pathlib import Path

import torch
from torch.nn import functional as F

from data import load
from model import Classifier


def watch(model):
    """Raise FloatingPointError at the first module whose output is not finite, with its name."""
    for name, module in model.named_modules():
        def check(module, inputs, output, name=name):
            if not torch.isfinite(output).all():
                raise FloatingPointError(f"first seen at {name or 'the whole model'}: {output.shape}")
        module.register_forward_hook(check)


def training_step(model, optimizer, x, y):
    """One step of gradient descent; returns the loss before it."""
    model.train()
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
'''

# %% [markdown]
# The second half reads the arguments, keeps a log, and saves a checkpoint after each epoch. A run is
# described by its command line alone: nothing has to be edited to try another learning rate. The log is a
# plain table, so that any tool can read it.

# %%
TRAIN_MAIN = """

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--debug", action="store_true", help="slow, but says where a NaN is born")
    options = parser.parse_args()
    torch.autograd.set_detect_anomaly(options.debug)

    (x, y), (valid_x, valid_y) = load(options.data)
    torch.manual_seed(0)
    model, generator, first = Classifier(n_hidden=32), torch.Generator().manual_seed(0), 0
    optimizer = torch.optim.SGD(model.parameters(), lr=options.learning_rate)
    if options.resume:
        state = torch.load(options.out / "last.pt", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        first = state["epoch"]
    with open(options.out / "log.csv", "a" if options.resume else "w", encoding="utf-8", newline="") as file:
        log = csv.writer(file)
        if not options.resume:
            log.writerow(["epoch", "loss", "accuracy"])
        for epoch in range(first + 1, options.epochs + 1):
            batches = torch.randperm(len(x), generator=generator).split(50)
            losses = [training_step(model, optimizer, x[chosen], y[chosen]) for chosen in batches]
            model.eval()
            with torch.no_grad():
                accuracy = (model(valid_x).argmax(dim=1) == valid_y).float().mean().item()
            log.writerow([epoch, sum(losses) / len(losses), accuracy])
            print(f"epoch {epoch}   loss {sum(losses) / len(losses):.4f}   accuracy {accuracy:.3f}")
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "generator": generator.get_state(), "epoch": epoch}, options.out / "last.pt")


if __name__ == "__main__":
    main()
"""
n_written = (folder / "train.py").write_text(TRAIN_FUNCTIONS + TRAIN_MAIN, encoding="utf-8")

# %% [markdown]
# One test file. Two tests find more than one would think: does the model answer batches of any size with
# the right shape, and do a few steps on one batch lower the loss? It runs in seconds, so it is run after
# every change.

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
        model, x, y = Classifier(n_hidden=8), torch.rand(5, 14, 14), torch.arange(5)
        watch(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = [training_step(model, optimizer, x, y) for _ in range(3)]
        self.assertLess(losses[-1], losses[0])
'''
n_written = (folder / "test_project.py").write_text(TEST, encoding="utf-8")

# %% [markdown]
# ## Train, stop, go on
#
# A command runs in its own process, as it would in a terminal: with the project's folder as its place,
# and nothing left over from this lesson. Its return code is zero if all went well. Two *environment
# variables* ask for output that a program can read on any system: UTF-8, and no colours.
#
# We train for some epochs, stop, and go on the next day. The log of the second run continues the first:
# the same lines stand at its top, and the numbering goes on.


# %%
def run(*arguments):
    """Run Python with `arguments` in the project's folder; returns its return code and what it printed."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHON_COLORS": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


data = (HERE / "data" / "fashion_mnist.npz").resolve()
code, output = run("train.py", "--data", data, "--epochs", 3)
print(output, end="")
assert code == 0
first_log = (folder / "log.csv").read_text(encoding="utf-8")

code, output = run("train.py", "--data", data, "--epochs", 6, "--resume")
print(output, end="")
assert code == 0
log_text = (folder / "log.csv").read_text(encoding="utf-8")
assert log_text.startswith(first_log) and len(log_text) > len(first_log)

# %%
with open(folder / "log.csv", encoding="utf-8") as file:
    rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
epochs = [int(row["epoch"]) for row in rows]
assert epochs == [1, 2, 3, 4, 5, 6]
assert rows[3]["loss"] < rows[2]["loss"]  # the new run went on where the old one stopped

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(epochs, [row["loss"] for row in rows], "o-", color="C0", label="training loss")
ax.plot(epochs, [row["accuracy"] for row in rows], "s--", color="C1", label="validation accuracy")
ax.axvline(3.5, color="0.7", linewidth=0.8, zorder=0)
ax.text(3.55, 0.08, "resumed", color="0.3")
ax.set(
    xlabel="epoch", ylabel="loss (nats), accuracy", title="The resumed run continues the first", ylim=(0, 1.8)
)
ax.legend()
plt.show()

# %% [markdown]
# ## Reading a model you did not write
#
# Three looks, from outside inward. `print` shows the parts and how they nest. The named parameters show
# where the weight lies. And hooks show what really happens to a batch, also where `forward` does more
# than its parts tell: flatten and ReLU are calls here, and `print` does not know them.


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
    seen, handles, entered = [], [], []
    for name, module in model.named_modules():

        def enter(module, inputs, name=name):
            entered.append((name, tuple(inputs[0].shape)))

        def leave(module, inputs, output):
            seen.append((*entered.pop(), tuple(output.shape)))

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
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


# %% [markdown]
# The three looks at our own model. Read the last rows from the inside out: what goes into `hidden` has
# been flattened, and nobody said so before.

# %%
torch.manual_seed(0)
model = load_module(folder / "model.py").Classifier(n_hidden=32)
print(model)
for name, parameter in model.named_parameters():
    print(f"{name:20s}{str(tuple(parameter.shape)):>12s}{parameter.numel():12d}")
x = torch.rand(5, 14, 14)
seen, error = shapes(model, x)
for name, before, after in seen:
    print(f"{name or 'the whole':20s}{before} -> {after}")
assert error is None and seen[0] == ("hidden", (5, 196), (5, 32)) and seen[-1] == ("", (5, 14, 14), (5, 10))

# %% [markdown]
# ## A loud fault
#
# A colleague adds a second hidden layer, and the test fails. A traceback is read from its end: the last
# line says what, the lines above say where, innermost last. Most of them belong to PyTorch. The last one
# that belongs to *us* is where to look.


# %%
def our_lines(output, folder):
    """(file, line number, source line) of the traceback entries in `output` from `folder`, each once."""
    pattern = r'File "([^"]+)", line (\d+), in .*\n\s+(.*)'
    found = [(Path(path), int(number), source) for path, number, source in re.findall(pattern, output)]
    ours = [entry for entry in found if entry[0].parent.resolve() == folder.resolve()]
    return list(dict.fromkeys((path.name, number, source) for path, number, source in ours))


shape_fault = MODEL.replace(
    "        self.head =", "        self.second = nn.Linear(n_hidden, 64)\n        self.head ="
).replace("        return", "        x = self.second(x).relu()\n        return")
n_written = (folder / "model.py").write_text(shape_fault, encoding="utf-8")

shape_code, output = run("-m", "unittest")
shape_message = [line for line in output.splitlines() if "Error:" in line][-1]
print(f"return code {shape_code}\n{shape_message}")
last_traceback = output[output.rindex("Traceback") :]
trail = our_lines(last_traceback, folder)
for file_name, number, source in trail:
    print(f"{file_name}, line {number}: {source}")
assert shape_code != 0 and "mat1 and mat2 shapes cannot be multiplied" in shape_message

# %% [markdown]
# *mat1* is the batch that arrives, *mat2* the weight, transposed: 64 numbers come in, and the layer was
# made for 8. Our last line is in `forward`, at the head. The shapes tell the same story from the inside:
# the list stops at the module that could not.

# %%
torch.manual_seed(0)
broken = load_module(folder / "model.py").Classifier(n_hidden=32)
seen, error = shapes(broken, x)
for name, before, after in seen:
    print(f"{name or 'the whole':20s}{before} -> {after or 'fails'}")
print(f"the head was made for {broken.head.in_features} numbers and gets {seen[2][1][1]}")
assert seen[2] == ("head", (5, 64), None) and error is not None
assert trail[-1][0] == "model.py" and "self.head(x)" in trail[-1][2]

fixed_model = shape_fault.replace("nn.Linear(n_hidden, 10)", "nn.Linear(64, 10)")
n_written = (folder / "model.py").write_text(fixed_model, encoding="utf-8")

# %% [markdown]
# ## A silent fault
#
# Next the colleague adds a penalty on large weights to the loss: the length of each parameter,
# $\sqrt{\sum_i w_i^2}$. Training does not stop, its return code is zero, and its loss is NaN, *not a
# number*. In the test our `watch` is on, and it raises at the first module whose output is not finite.

# %%
train_text = TRAIN_FUNCTIONS + TRAIN_MAIN
nan_fault = train_text.replace(
    "    loss = F.cross_entropy(model(x), y)\n",
    "    penalty = sum(p.square().sum().sqrt() for p in model.parameters())\n"
    "    loss = F.cross_entropy(model(x), y) + 1e-4 * penalty\n",
)
n_written = (folder / "train.py").write_text(nan_fault, encoding="utf-8")
silent_code, silent_output = run("train.py", "--data", data, "--epochs", 1)
print(f"return code {silent_code}\n{silent_output.strip()}")
assert silent_code == 0 and "loss nan" in silent_output

nan_code, output = run("-m", "unittest")
watch_message = [line for line in output.splitlines() if "Error:" in line][-1]
print(f"return code {nan_code}\n{watch_message}")
assert nan_code != 0 and "first seen at hidden" in watch_message

# %% [markdown]
# That is where the NaN was *seen*, in the forward pass of the second step. But `hidden` is innocent: its
# bias had become NaN in the first step. Where a NaN is *born* in a backward pass, `detect_anomaly`
# tells. It checks what every backward note returns, and shows the forward line that made the note.

# %%
debug_code, output = run("train.py", "--data", data, "--epochs", 1, "--debug")
anomaly_message = [line for line in output.splitlines() if "Error:" in line][-1]
born = our_lines(output, folder)
print(f"return code {debug_code}\n{anomaly_message}")
for file_name, number, source in born:
    print(f"{file_name}, line {number}: {source}")
assert debug_code != 0 and "PowBackward0" in anomaly_message
assert any("sqrt()" in source for _, _, source in born)

# %% [markdown]
# `PowBackward0`, the square, at the line of the penalty. The biases start at zero. There the slope of the
# root is infinite, the slope of the square is zero, and their product is NaN. The cure is a small number
# *inside* the root: its slope is then finite. Outside, as in $\sqrt s + \varepsilon$, it changes nothing.

# %%
bias = torch.zeros(3, requires_grad=True)
slopes = {}
for name, length in {
    "bare": lambda b: b.square().sum().sqrt(),
    "eps outside": lambda b: b.square().sum().sqrt() + 1e-12,
    "eps inside": lambda b: (b.square().sum() + 1e-12).sqrt(),
}.items():
    (slopes[name],) = torch.autograd.grad(length(bias), bias)
    print(f"{name:20s}{slopes[name].tolist()}")
assert slopes["bare"].isnan().all() and slopes["eps outside"].isnan().all()
assert slopes["eps inside"].tolist() == [0, 0, 0]

fixed_train = nan_fault.replace("p.square().sum().sqrt()", "(p.square().sum() + 1e-12).sqrt()")
n_written = (folder / "train.py").write_text(fixed_train, encoding="utf-8")
fixed_code, output = run("-m", "unittest")
workshop.cleanup()
print(output.strip().splitlines()[-1], f"  return code {fixed_code}")
assert fixed_code == 0

# %% [markdown]
# ## What to remember
#
# - Model, data and training in files of their own; a run is its command line; a log is a table; a test
#   takes seconds.
# - An unfamiliar model: `print`, `named_parameters`, then shapes by hooks.
# - Read a traceback from the end, and look at the last line that is yours.
# - A hook tells where a NaN is first seen, `detect_anomaly` where it is born. Both are slow: on for
#   debugging only.
# - In a length, the small number goes inside the root.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Resume without restoring the generator. Does the log still continue? Can you tell from the log alone?
# 2. Plant a fault that neither test finds. Which third test would?
# 3. Let the log name the command line and the versions of Python and PyTorch. Which of your older results
#    could you reproduce today?
#
# ## Sources
#
# - PyTorch documentation, *torch.autograd.detect_anomaly* and *Module hooks*.
# - A. Karpathy, "A recipe for training neural networks", 2019: overfit one batch, look at everything.
# - G. Wilson et al., "Good enough practices in scientific computing", *PLOS Computational Biology* 13,
#   2017.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the pictures.
