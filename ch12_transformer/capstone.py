# %% [markdown]
# # 12 Capstone: from a question to a report
#
# A colleague has left, and you take over the project: a classifier of clothes, with a code base that you
# did not write, labels that are not all right, and a question that your team wants answered. This
# capstone is a working day in that situation. It has three parts. Each is judged apart, but mend the
# tickets of part 1 before the runs of part 2, because the validation rows of part 2 depend on one of them:
#
# 1. **Join.** Three tickets report faults in the code base. For each you write a test that shows the
#    fault, and then mend the code.
# 2. **Design.** "Which of augmentation, label smoothing, weight decay and early stopping helps most, at
#    equal cost?" You hand in a plan, the runs, and a claim that the runs support.
# 3. **Interpret.** The data has wrong labels and a shortcut. You find both, measure what the shortcut
#    does, and write a report of one page.
#
# **You need** the training cycle (4.4), a project in PyTorch (4.7), convolutional networks (9.1),
# experiment design (7.7), regularization (8.2, 8.5, 8.6), and attribution (10.4).
#
# At a terminal, `start` writes the project into a new folder and `check` judges what is there:
#
# `python ch12_transformer/capstone.py start ~/capstone --name ada`
#
# `python ch12_transformer/capstone.py check ~/capstone`
#
# A whole check takes a minute or two; `--part 1` after it (or 2, or 3) judges that part alone. Both
# commands first print the two lines of the worked report that stands below.
#
# In a notebook, set `FOLDER` and `NAME` in the cell after the imports, and run the cells from the top:
# the last one does the same. Your name makes your data: the seed of its faults is computed from it. The
# answer `done`, `missing` or `not right yet` stands behind each requirement, with what is wrong, never
# with the solution. Some of the hidden faults stand in this file as text. If you want the exercise, do
# not read on beyond the section that describes your part.

# %%
import csv
import hashlib
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent
COMMAND = sys.argv[1:] if Path(sys.argv[0]).name == "capstone.py" else []
if COMMAND:
    plt.ion()  # at a terminal no command waits until somebody closes the figure of the worked report

# %%
FOLDER = ""  # in a notebook: where the project is or will be written
NAME = ""  # in a notebook: your name, to write it

# %% [markdown]
# ## Part 1: join
#
# The project is small and complete: a model, the data, training with checkpoints, experiments, tests and a
# log. Its `README.md` has three tickets, written by the people who met the faults. A ticket is done if
#
# - your own test, in your new file `test_tickets.py`, fails on the code as it was (a test that also passes
#   there has not shown the fault),
# - the test passes on your code,
# - it fails on two further variants of the fault, which you have not seen. So test what the function
#   promises, and not only the one mistake that you found,
# - the project's own tests stay green, and `ruff`, if it is installed, finds nothing in the `.py` files of
#   the folder, your own scripts among them.
#
# Names and signatures of the project's functions must stay as they are, because the variants have the
# same.
#
# ## Part 2: design
#
# `experiment.run` trains one network and appends one line to `runs.csv`. A run takes a few seconds, and
# `experiment.measure` does one without a trace, to see how long. Before the first run, write `plan.json`
# with the keys `arms` (the four and `control`), `settings` (which will be tried for each arm), `epochs`,
# `seeds`, `measure` (what will be compared) and `decision` (the rule that gives the answer);
# `experiment.register_plan()` notes in the log that it was there first. Then hand in
#
# - `runs.csv`, as `experiment.py` writes it: tuning runs (`tune`), final runs (`final`), and at the end
#   the one opening of the test set (`test`), for the arm that you would hand over,
# - `claim.json` with the keys `compared` (that one of the four which has the best mean of its final runs),
#   `difference` (its mean difference from the control on the validation rows), `interval` (the two ends of
#   the 95 % interval of Student's t for the paired differences), `n_seeds`, `answer`, and `replay` (`arm`,
#   `setting`, `seed` of one final run, which the check will do again). The `answer` is the arm if the
#   whole interval lies above zero, `control` if it lies below zero, and otherwise `no difference shown`.
#
# What makes the answer worth something is asked for: final runs of a trivial and a linear baseline and of
# a control without any of the four (arms `trivial`, `linear` and `control`, setting 0), at least two
# settings tried for each of the four, as many for one as for the other, equal epochs, at least five seeds
# which all arms share, and a test set that chose nothing. The comment above `OPTIONS` in `experiment.py`
# says what a setting is; that of early stopping is a number of epochs.
#
# ## Part 3: interpret
#
# Hand in
#
# - `model.pt`, the `state_dict` of a network of `model.py` that you have trained on the project's data,
# - `suspects.csv`, one column `row` with 200 training rows, counted from 0, whose labels you think are
#   wrong; more than four in five must be,
# - `shortcut.json` with `class` (the number, 0 to 9, of the class that has the shortcut), `rows` and
#   `columns` (first and last of the place of the mark, both included, such as `[10, 13]`, at most six
#   pixels each way), and two accuracies of your model on that class's test images: `accuracy_as_it_is`
#   (at least one half, or the model has learned too little) and `accuracy_painted_over`, with that place
#   set to 0 before the image is standardised,
# - `figure.png`, one figure that convinces,
# - `report.md`, one page of 150 to 600 words with the headings `## Claim`, `## Evidence` and `## What
#   would change my mind`. The evidence names your interval of part 2 or your accuracies of part 3 (two
#   decimals or per cent), and `figure.png`.
#
# No program can grade a report. Ask yourself, or better a friend, these five questions:
#
# 1. Does the first sentence answer the question, with a size and what it was measured on?
# 2. Could somebody repeat it from what is written?
# 3. Is there a comparison with something simpler, and an interval around the difference?
# 4. Does the figure show the claim, so that it could also have shown the opposite?
# 5. Is it said what was not measured, and which finding would change the author's mind?
#
# ### A worked report on other data
#
# How such a page reads, on the carbon dioxide in the air above Hawaii. The question: does it help a
# forecast of next month's mean to know the month of the year? Two forecasts are compared. Both start from
# this month's mean; the first adds the mean change of all months of the past, the second the mean change
# of that month of the year. What a year has cost is judged by its mean absolute error, year by year, from
# the 21st year on, so that there is a past to learn from.


# %%
def monthly_means(path):
    """{(year, month): mean ppm} of the weeks in the file of lesson 4.6."""
    weeks = {}
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["co2"]:
                key = int(row["date"][:4]), int(row["date"][4:6])
                weeks.setdefault(key, []).append(float(row["co2"]))
    return {key: float(np.mean(values)) for key, values in sorted(weeks.items())}


T_95 = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228}
T_95 |= {11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 19: 2.093, 24: 2.064, 29: 2.045}


def t_quantile(degrees):
    """The 97.5 % quantile of Student's t, from the next smaller entry of a short table."""
    return T_95[max(known for known in T_95 if known <= max(degrees, 2))]


def paired_interval(differences):
    """(mean, low, high): the 95 % interval of Student's t for the mean of paired differences (7.7)."""
    differences = np.asarray(differences, dtype=float)
    half = t_quantile(len(differences) - 1) * differences.std(ddof=1) / math.sqrt(len(differences))
    mean = differences.mean()
    return float(mean), float(mean - half), float(mean + half)


months = monthly_means(HERE / "data" / "co2.csv")
changes = []  # (year, month of the year, change to the next month), where both are known
for year, month in months:
    later = (year, month + 1) if month < 12 else (year + 1, 1)
    if later in months:
        changes.append((year, month, months[later] - months[year, month]))
first_year = changes[0][0] + 20
errors = {}  # year -> mean absolute errors of the two forecasts
for year in sorted({year for year, _, _ in changes if year >= first_year}):
    past = [change for change in changes if change[0] < year]
    of_all = np.mean([change for _, _, change in past])
    of_month = {m: np.mean([change for _, month, change in past if month == m]) for m in range(1, 13)}
    now = [(month, change) for y, month, change in changes if y == year]
    plain_error = np.mean([abs(change - of_all) for _, change in now])
    seasonal_error = np.mean([abs(change - of_month[month]) for month, change in now])
    errors[year] = float(plain_error), float(seasonal_error)
plain_errors, seasonal_errors = np.array(list(errors.values())).T  # (n_years,) each
gain, gain_low, gain_high = paired_interval(plain_errors - seasonal_errors)
print(
    f"{len(errors)} years, mean error without the month {plain_errors.mean():.2f} ppm, "
    f"with it {seasonal_errors.mean():.2f} ppm"
)
print(f"gain {gain:.2f} ppm, 95 % interval {gain_low:.2f} to {gain_high:.2f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(list(errors), plain_errors, "o-", markersize=4, label="mean change of all months")
ax.plot(list(errors), seasonal_errors, "s--", markersize=4, label="mean change of that month of the year")
ax.set(xlabel="year", ylabel="mean absolute error (ppm)", ylim=(0, None))
ax.set_title("Error of two forecasts of the next month's mean CO2")
ax.legend()
plt.show()

assert seasonal_errors.mean() < plain_errors.mean() / 2, "knowing the month more than halves the error"
assert gain_low > 0.3, "knowing the month of the year helps the forecast of the next month"
assert (seasonal_errors < plain_errors).all(), "it helps in every single year"

# %% [markdown]
# **Claim.** Knowing the month of the year more than halves the error of a forecast of next month's mean
# CO2 at Mauna Loa: the mean absolute error falls from 1.09 to 0.26 ppm (21st year of the record to its
# end).
#
# **Evidence.** Two forecasts learn from the years before and are judged on the same later years, so the
# yearly errors are paired. The gain is the difference of the two means that the cell above prints, with
# its 95 % interval over years. The figure has one point for each year and forecast: a season that did not
# matter would make the lines cross, and they never do. The simpler forecast is a real competitor, because
# it knows the trend.
#
# **What would change my mind.** Years follow each other, so their errors are not independent, and the
# interval may be too narrow; an interval over blocks of five years that reached zero would count against
# the claim. A station near the equator, where the season is weak, might show no gain. I have not compared
# with a trend that bends.
#
# ## The project
#
# From here on this file contains the project with its faults, the variants and the checks. Reading it
# spoils part 1.

# %%
MODEL = '''"""A small convolutional network for grey images of 28 x 28 pixels."""

from torch import nn


def make_model():
    """Scores (n, 10) from images (n, 1, 28, 28)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
'''

DATA = '''"""The images: stored compressed, row by row; split; handed out in batches."""

import zlib
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent


class Images:
    """The images of one part of data.npz, "train" or "test". `n_decoded` counts calls of `decode`."""

    def __init__(self, part):
        with np.load(HERE / "data.npz") as stored:
            self.packed = stored[f"{part}_packed"]  # all compressed rows, one after the other
            self.starts = stored[f"{part}_starts"]  # (n + 1,)
            self.labels = stored[f"{part}_labels"].astype(np.int64)  # (n,)
        self.n_decoded = 0

    def __len__(self):
        return len(self.labels)

    def decode(self, row):
        """The image (28, 28), whole numbers from 0 to 255."""
        self.n_decoded += 1
        packed = self.packed[self.starts[row] : self.starts[row + 1]]
        return np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8).reshape(28, 28)

    def batch(self, rows):
        """Images (n, 1, 28, 28) float32, each with mean 0 and standard deviation 1, and labels (n,) int64."""
        images = np.zeros((len(rows), 1, 28, 28), dtype=np.float32)
        for i, row in enumerate(rows):
            mean = self.decode(row).mean()
            spread = self.decode(row).std()
            images[i, 0] = (self.decode(row) - mean) / (spread + 1e-6)
        return torch.from_numpy(images), torch.from_numpy(self.labels[rows])


def split(n, n_validation, seed):
    """(training rows, validation rows): all n rows at random, each in exactly one of the two."""
    order = np.random.default_rng(seed).permutation(n)
    return order[: n - n_validation // 2], order[n - n_validation :]
'''

TRAIN = '''"""Training that can be stopped and resumed.

python train.py    trains on all rows and writes model.pt
"""

import torch
from torch.nn import functional as F

from data import HERE, Images
from model import make_model

DEFAULTS = {"learning_rate": 2e-3, "decay": 0.0, "smoothing": 0.0, "shift": 0, "batch_size": 100}


def begin(seed, **options):
    """A new training state: model, optimizer, the generator of its chances, epochs done, options."""
    torch.manual_seed(seed)
    options = {**DEFAULTS, **options}
    model = make_model()
    rate, decay = options["learning_rate"], options["decay"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    generator = torch.Generator().manual_seed(seed)
    return {"model": model, "optimizer": optimizer, "generator": generator, "epoch": 0, "options": options}


def shifted(images, most, generator):
    """Each image moved by up to `most` pixels in both directions; what moves in is what moved out."""
    rows, columns = torch.randint(-most, most + 1, (2, len(images)), generator=generator).tolist()
    return torch.stack([image.roll((r, c), (1, 2)) for image, r, c in zip(images, rows, columns)])


def advance(state, images, rows, n_epochs):
    """Train for n_epochs more; the learning rate of an epoch is the first one divided by epoch + 1."""
    options, generator = state["options"], state["generator"]
    for _ in range(n_epochs):
        for group in state["optimizer"].param_groups:
            group["lr"] = options["learning_rate"] / (1 + state["epoch"])
        state["model"].train()
        order = torch.randperm(len(rows), generator=generator).numpy()
        for start in range(0, len(rows), options["batch_size"]):
            inputs, labels = images.batch(rows[order[start : start + options["batch_size"]]])
            if options["shift"]:
                inputs = shifted(inputs, options["shift"], generator)
            loss = F.cross_entropy(state["model"](inputs), labels, label_smoothing=options["smoothing"])
            state["optimizer"].zero_grad()
            loss.backward()
            state["optimizer"].step()
        state["epoch"] += 1


def accuracy(model, images, rows):
    model.eval()
    with torch.inference_mode():
        inputs, labels = images.batch(rows)
        return (model(inputs).argmax(dim=1) == labels).double().mean().item()


def save(state, path):
    """Write all that `resume` needs."""
    kept = {name: state[name].state_dict() for name in ("model", "optimizer")}
    torch.save({**kept, "epoch": state["epoch"], "options": state["options"]}, path)


def resume(path):
    """The state as it was saved: training goes on as if it had never stopped."""
    kept = torch.load(path, weights_only=True)
    state = begin(0, **kept["options"])
    state["model"].load_state_dict(kept["model"])
    state["optimizer"].load_state_dict(kept["optimizer"])
    state["epoch"] = kept["epoch"]
    return state


if __name__ == "__main__":
    import numpy as np

    images = Images("train")
    state = begin(0)
    for _ in range(3):
        advance(state, images, np.arange(len(images)), 1)
        share = accuracy(state["model"], images, np.arange(1000))
        print(f"epoch {state['epoch']}   accuracy on its own rows {share:.3f}")
    torch.save(state["model"].state_dict(), HERE / "model.pt")
'''

EXPERIMENT = '''"""Runs of the experiment: each is a line of runs.csv; plan and test set leave one in log.csv.

Import it in a script of your own, for example:

    import experiment
    print(experiment.measure("control", 0, seed=0, n_epochs=3))         # a trial, which leaves no line
    experiment.register_plan()                                          # plan.json must be there
    experiment.run("tune", "weight decay", 0.1, seed=0, n_epochs=3)
    experiment.run("final", "control", 0, seed=0, n_epochs=3)
    experiment.open_test("control", 0, seeds=[0, 1, 2, 3, 4], n_epochs=3)    # once, when all is decided
"""

import csv
import hashlib
import json
import time

import numpy as np
import torch

import train
from data import HERE, Images, split

# settings: pixels; share of the label; AdamW's weight_decay, so that a step shrinks by learning rate * decay
OPTIONS = {"augmentation": "shift", "label smoothing": "smoothing", "weight decay": "decay"}
PLAN = ("arms", "seeds", "settings", "epochs", "measure", "decision")
ARMS = ("trivial", "linear", "control", "early stopping", *OPTIONS)
COLUMNS = ("phase", "arm", "setting", "seed", "epochs", "seconds", "validation", "test")
N_ROWS = 5000  # fewer make the runs shorter; change it here, before the first run, and not in a script


def append(name, row):
    """Add one whole line to a CSV file: what was run before is never lost."""
    with open(HERE / name, "a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(row)


def log():
    """The lines of log.csv as lists."""
    with open(HERE / "log.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.reader(file) if row]


def register_plan():
    """Note in the log that this plan was there before the first run; again with the same plan, nothing."""
    plan = (HERE / "plan.json").read_bytes()
    named = json.loads(plan)
    absent = [key for key in PLAN if key not in named]
    absent += [f"arm {arm}" for arm in ARMS[2:] if arm not in named.get("arms", ())]
    if absent:
        raise ValueError(f"plan.json has no {', '.join(absent)}")
    noted = ["plan", hashlib.sha256(plan).hexdigest()]
    if [row for row in log() if row[0] == "plan"][-1:] == [noted]:
        return
    if (HERE / "runs.csv").exists():
        raise ValueError(
            "there are runs: to plan anew, delete runs.csv and all of log.csv but its first line"
        )
    append("log.csv", noted)


def parts():
    """(images, training rows, rows for stopping, validation rows); early stopping chooses on its own rows."""
    images = Images("train")
    rows = np.arange(min(N_ROWS, len(images)))
    training, held_out = split(len(rows), len(rows) // 4, seed=0)
    return images, rows[training], held_out[::2], held_out[1::2]


def predictor(arm, setting, seed, n_epochs):
    """Train one arm; the function from inputs to predicted classes."""
    images, training, stopping, _ = parts()
    if arm == "trivial":  # the most common class of the training rows
        common = int(np.bincount(images.labels[training]).argmax())
        return lambda inputs: torch.full((len(inputs),), common)
    state = train.begin(seed, **({OPTIONS[arm]: setting} if arm in OPTIONS else {}))
    if arm == "linear":
        torch.manual_seed(seed)
        state["model"] = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
        state["optimizer"] = torch.optim.AdamW(state["model"].parameters(), lr=2e-3, weight_decay=0.0)
    best, kept, waited = -1.0, None, 0
    for _ in range(n_epochs):
        train.advance(state, images, training, 1)
        if arm == "early stopping":  # setting: epochs in a row without a gain that it bears
            now = train.accuracy(state["model"], images, stopping)
            waited += 1
            if now > best:
                best, waited = now, 0
                kept = {name: value.clone() for name, value in state["model"].state_dict().items()}
            if waited > setting:
                break
    if kept:
        state["model"].load_state_dict(kept)
    return lambda inputs: state["model"].eval()(inputs).argmax(dim=1)


def score(predict, images, rows):
    with torch.inference_mode():
        inputs, labels = images.batch(rows)
        return (predict(inputs) == labels).double().mean().item()


def measure(arm, setting, seed, n_epochs):
    """Validation accuracy of one run, which depends on nothing but the arguments."""
    images, _, _, validation = parts()
    return score(predictor(arm, setting, seed, n_epochs), images, validation)


def run(phase, arm, setting, seed, n_epochs):
    """One run, one line in runs.csv; phase: "tune" or "final"."""
    if phase not in ("tune", "final") or arm not in ARMS:
        raise ValueError(f"phase 'tune' or 'final', arm one of {ARMS}; got {phase!r}, {arm!r}")
    if "plan" not in [row[0] for row in log()]:
        raise ValueError("the plan comes before the first run: write plan.json and call register_plan()")
    started = time.perf_counter()
    value = measure(arm, setting, seed, n_epochs)
    row = (phase, arm, setting, seed, n_epochs, f"{time.perf_counter() - started:.2f}", repr(value), "")
    append("runs.csv", row)
    print(f"{phase:6s}{arm:18s}{setting!s:>8s}   seed {seed}   validation {value:.4f}", flush=True)
    return value


def open_test(arm, setting, seeds, n_epochs):
    """Train the chosen arm with each seed and open the test set; the log notes it."""
    append("log.csv", ("test opened", arm))
    images = Images("test")
    values = []
    for seed in seeds:
        started = time.perf_counter()
        values.append(score(predictor(arm, setting, seed, n_epochs), images, np.arange(len(images))))
        seconds = f"{time.perf_counter() - started:.2f}"
        append("runs.csv", ("test", arm, setting, seed, n_epochs, seconds, "", repr(values[-1])))
        print(f"test  {arm:18s}{setting!s:>8s}   seed {seed}   test {values[-1]:.4f}", flush=True)
    return values
'''

TEST_PROJECT = '''"""The project's own tests."""

import numpy as np
import torch

import train
from data import Images, split
from model import make_model


def test_a_batch_has_its_shapes_and_is_standardised():
    inputs, labels = Images("test").batch(np.arange(7))
    assert inputs.shape == (7, 1, 28, 28) and inputs.dtype == torch.float32
    assert labels.shape == (7,) and labels.dtype == torch.int64
    assert inputs.mean(dim=(1, 2, 3)).abs().max() < 1e-4
    assert (inputs.std(dim=(1, 2, 3), correction=0) - 1).abs().max() < 1e-3


def test_the_model_gives_ten_scores():
    assert make_model()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_split_has_the_sizes_asked_for():
    training, validation = split(100, 20, seed=1)
    assert len(validation) == 20 and len(training) >= 80


def test_training_lowers_the_loss(tmp_path):
    images = Images("train")
    state = train.begin(0)
    before = train.accuracy(state["model"], images, np.arange(300))
    train.advance(state, images, np.arange(300), 2)
    assert train.accuracy(state["model"], images, np.arange(300)) > before
    train.save(state, tmp_path / "state.pt")
    assert train.resume(tmp_path / "state.pt")["epoch"] == 2
'''

README = """# Clothes

A small classifier. `model.py`, `data.py`, `train.py`, `experiment.py`, `test_project.py` (run
`python -m pytest`), `log.csv` (who did what), `data.npz` (5,000 training and 1,000 test images; about a fifth
of the training labels is wrong).

## Tickets

1. _From Mina._ Our validation accuracy is always higher than the same network's on new images that the same
   people have labelled, and the gap grows with the epochs. I suspect `data.split`, but I could not show it.
2. _From Jakob._ My job was stopped after epoch 2 of 4 and resumed from its checkpoint. The curve is not the
   one of the job that ran through. `train.resume` says "as if it had never stopped".
3. _From Aiko._ The profiler says that training waits for its input: `Images.decode` takes more than a third
   of the time of `Images.batch`. One call for each row that a batch asks for should do. But please: exactly
   the same numbers as now, the customers' reports depend on them.

For each ticket, write a test `test_ticket_1` (`_2`, `_3`) in a new file `test_tickets.py`, see it fail, and
mend the code. Keep the names and signatures of the project's functions. Mend before you experiment.

## Question and report

See parts 2 and 3 of the capstone for what to hand in.
"""

PYPROJECT = """[tool.ruff]
line-length = 120
lint.select = ["E", "F"]

[tool.pytest.ini_options]
addopts = "-q"
"""

FILES = {
    "model.py": MODEL,
    "data.py": DATA,
    "train.py": TRAIN,
    "experiment.py": EXPERIMENT,
    "test_project.py": TEST_PROJECT,
    "README.md": README,
    "pyproject.toml": PYPROJECT,
}

# for each ticket: the file, and the changes that mend it or make another form of the fault
SPLIT_AS_IT_WAS = "return order[: n - n_validation // 2], order[n - n_validation :]"
SAVED_AS_IT_WAS = 'torch.save({**kept, "epoch": state["epoch"], "options": state["options"]}, path)'
SAVED_WHOLE = (
    'chances = state["generator"].get_state()\n'
    '    torch.save({**kept, "epoch": state["epoch"], "options": state["options"], "chances": chances}, path)'
)
RESUMED_AS_IT_WAS = '    state["epoch"] = kept["epoch"]\n    return state'
RESUMED_WHOLE = '    state["generator"].set_state(kept["chances"])\n' + RESUMED_AS_IT_WAS
OPTIMIZER_LOADED = '    state["optimizer"].load_state_dict(kept["optimizer"])\n'
DECODED_AS_IT_WAS = """            mean = self.decode(row).mean()
            spread = self.decode(row).std()
            images[i, 0] = (self.decode(row) - mean) / (spread + 1e-6)"""
DECODED_ONCE = """            image = self.decode(row)
            images[i, 0] = (image - image.mean()) / (image.std() + 1e-6)"""
DECODED_TWICE = """            image = self.decode(row)
            images[i, 0] = (image - image.mean()) / (self.decode(row).std() + 1e-6)"""
DECODED_COARSELY = """            image = self.decode(row).astype(np.float16)
            images[i, 0] = (image - image.mean(dtype=np.float32)) / (image.std(dtype=np.float32) + 1e-6)"""

TICKETS = {
    1: {
        "file": "data.py",
        "mended": {SPLIT_AS_IT_WAS: "return order[: n - n_validation], order[n - n_validation :]"},
        "variants": [
            {SPLIT_AS_IT_WAS: "return order[: n - n_validation + 1], order[n - n_validation :]"},
            {
                SPLIT_AS_IT_WAS: "other = np.random.default_rng(seed + 1).permutation(n)\n"
                "    return order[: n - n_validation], other[:n_validation]"
            },
        ],
    },
    2: {
        "file": "train.py",
        "mended": {SAVED_AS_IT_WAS: SAVED_WHOLE, RESUMED_AS_IT_WAS: RESUMED_WHOLE},
        "variants": [
            {SAVED_AS_IT_WAS: SAVED_WHOLE, RESUMED_AS_IT_WAS: RESUMED_WHOLE, OPTIMIZER_LOADED: ""},
            {
                SAVED_AS_IT_WAS: SAVED_WHOLE,
                RESUMED_AS_IT_WAS: RESUMED_WHOLE.replace('= kept["epoch"]', '= max(0, kept["epoch"] - 1)'),
            },
        ],
    },
    3: {
        "file": "data.py",
        "mended": {DECODED_AS_IT_WAS: DECODED_ONCE},
        "variants": [{DECODED_AS_IT_WAS: DECODED_TWICE}, {DECODED_AS_IT_WAS: DECODED_COARSELY}],
    },
}


def with_changes(text, changes):
    """`text` with each key of `changes`, which must be there once, replaced by its value."""
    for old, new in changes.items():
        if text.count(old) != 1:
            raise ValueError(f"{old!r} is in the text {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


# %% [markdown]
# The data is spoilt by a seed from the name: a fifth of the training labels becomes another class, and
# one class has a small bright square, at one place, on nine tenths of its training and test images.


# %%
def faults_of(name):
    """What is wrong in the data of `name`: class and place of the mark, which training labels are wrong."""
    with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
        train_labels = archive["train_labels"].astype(np.int64)
        test_labels = archive["test_labels"].astype(np.int64)
    seed = int.from_bytes(hashlib.sha256(name.strip().lower().encode("utf-8")).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    wrong = np.zeros(len(train_labels), dtype=bool)
    wrong[rng.choice(len(train_labels), size=len(train_labels) // 5, replace=False)] = True
    other = (train_labels + rng.integers(1, 10, size=len(train_labels))) % 10  # never the right one
    marked_class = int(rng.integers(10))
    row, column = (int(corner) for corner in rng.choice([1, 2, 23, 24], size=2))
    marked = {}
    for part, labels in (("train", train_labels), ("test", test_labels)):
        marked[part] = (labels == marked_class) & (rng.uniform(size=len(labels)) < 0.9)
    return {
        "labels": {"train": np.where(wrong, other, train_labels), "test": test_labels},
        "wrong": wrong,
        "class": marked_class,
        "rows": (row, row + 2),
        "columns": (column, column + 2),
        "marked": marked,
    }


def start(folder, name):
    """Write the project for `name` into a new or empty folder; ValueError if there is something in it."""
    folder = Path(folder).expanduser()
    if not name.strip():
        raise ValueError("the data needs a name: --name ada")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in FILES.items():
        (folder / file).write_text(text, encoding="utf-8", newline="\n")
    faults = faults_of(name)
    stored = {}
    with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
        for part in ("train", "test"):
            images = archive[f"{part}_images"].copy()  # (n, 28, 28) uint8
            top, bottom = faults["rows"]
            left, right = faults["columns"]
            images[faults["marked"][part], top : bottom + 1, left : right + 1] = 255
            packed = [zlib.compress(image.tobytes(), 6) for image in images]
            stored[f"{part}_packed"] = np.frombuffer(b"".join(packed), dtype=np.uint8)
            stored[f"{part}_starts"] = np.cumsum([0, *map(len, packed)])
            stored[f"{part}_labels"] = faults["labels"][part].astype(np.uint8)
    np.savez(folder / "data.npz", **stored)
    (folder / "log.csv").write_text(f"start,{name.strip()}\n", encoding="utf-8", newline="\n")
    return folder


# %% [markdown]
# ## The checks
#
# A check raises `Missing` if a file or a key is not there, and `AssertionError` with the reason if it is
# not right yet.


# %%
class Missing(Exception):
    """Something that has to be handed in is not there."""


def read_json(folder, name, keys):
    """The object in a JSON file, which must have these keys."""
    if not (folder / name).exists():
        raise Missing(f"{name} is not there")
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise AssertionError(f"{name} is not valid JSON: {error}") from None
    absent = [key for key in keys if not isinstance(found, dict) or key not in found]
    if absent:
        raise Missing(f"{name} has no {', '.join(absent)}")
    return found


def read_log(folder):
    """The lines of log.csv as lists."""
    if not (folder / "log.csv").exists():
        raise Missing("log.csv is not there: it was written by `start`")
    with open(folder / "log.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.reader(file) if row]


def name_of(folder):
    """The name with which `start` made the data."""
    log = read_log(folder)
    assert log and log[0][0] == "start" and len(log[0]) == 2, "the first line of log.csv is no longer its own"
    return log[0][1]


RUN_TESTS = """
import json
import os
import sys

import pytest
import torch  # once, for all jobs

here = os.getcwd()
for folder, chosen in json.loads(sys.argv[1]):
    os.chdir(folder)
    sys.path[0] = folder
    with open(os.devnull, "w") as sys.stdout:
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--rootdir", folder, *chosen])
    sys.stdout = sys.__stdout__
    print("exit code", int(code), flush=True)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(here):
            del sys.modules[name]
os.chdir(here)
"""


def pytest_passes(folder, jobs):
    """For each job (chosen tests, {file: another text}) whether its tests pass in a copy of the project."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = os.path.realpath(scratch)
        arguments = []
        for i, (chosen, replaced) in enumerate(jobs):
            copy = Path(scratch, f"copy_{i}")
            copy.mkdir()
            for path in folder.iterdir():
                if path.suffix in (".py", ".toml", ".npz") and path.is_file():
                    (copy / path.name).write_bytes(path.read_bytes())
            for file, text in replaced.items():
                (copy / file).write_text(text, encoding="utf-8", newline="\n")
            arguments.append((str(copy), [chosen]))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        ran = subprocess.run(
            [sys.executable, "-c", RUN_TESTS, json.dumps(arguments)],
            cwd=scratch,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    codes = [int(code) for code in re.findall(r"^exit code (\d+)$", ran.stdout, flags=re.MULTILINE)]
    assert len(codes) == len(jobs), f"pytest could not run: {ran.stderr[-300:]}"
    for (chosen, _), code in zip(jobs, codes):  # 1: a test failed; 2 and more: it could not be collected
        assert code in (0, 1), f"pytest could not run {chosen}: try it in the project"
    return [code == 0 for code in codes]


def check_ticket(folder, number):
    """One ticket: the learner's test tells the fault and its variants from the mended code."""
    ticket = TICKETS[number]
    if not (folder / "test_tickets.py").exists():
        raise Missing("test_tickets.py is not there")
    name = f"test_ticket_{number}"
    if f"def {name}(" not in (folder / "test_tickets.py").read_text(encoding="utf-8"):
        raise Missing(f"test_tickets.py has no {name}")
    chosen = f"test_tickets.py::{name}"
    file = ticket["file"]
    as_it_was = FILES[file]
    mended = with_changes(as_it_was, ticket["mended"])
    variants = [with_changes(as_it_was, variant) for variant in ticket["variants"]]
    texts = ({file: text} for text in (as_it_was, mended, *variants))
    jobs = [("test_project.py", {}), (chosen, {}), *((chosen, text) for text in texts)]
    project, own, shows_nothing, on_mended, *on_variants = pytest_passes(folder, jobs)
    assert not shows_nothing, "your test passes on the code as it was, so it does not show the fault"
    assert own, "your test fails on your own code"
    assert not any(on_variants), (
        "your test passes on another form of the same fault: test what the function promises"
    )
    assert on_mended, (
        "your test fails on a code that keeps what the function promises: it asks for more than the ticket"
    )
    assert project, "the project's own tests fail on your code"


def check_ruff(folder):
    """`ruff check` finds nothing, if ruff is installed."""
    if importlib.util.find_spec("ruff") is None:
        return
    files = [path.name for path in folder.glob("*.py")]
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", *files],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    first = next((line for line in ran.stdout.splitlines() if line.strip()), ran.stderr.strip())
    assert ran.returncode == 0, f"`python -m ruff check .` finds faults in the folder, first: {first}"


# %% [markdown]
# The checks of part 2 read `plan.json`, `log.csv`, `runs.csv` and `claim.json`.

# %%
ARMS = ("augmentation", "label smoothing", "weight decay", "early stopping")
N_SEEDS = 5


def read_runs(folder):
    """The whole lines of runs.csv as dictionaries; a line that a crash cut off does not count."""
    if not (folder / "runs.csv").exists():
        raise Missing("runs.csv is not there")
    columns = ("phase", "arm", "setting", "seed", "epochs", "seconds", "validation", "test")
    text = (folder / "runs.csv").read_bytes().decode("utf-8")
    whole = text[: text.rfind("\n") + 1]
    rows = [row for row in csv.reader(whole.splitlines()) if row]
    bad = [row for row in rows if len(row) != len(columns)]
    assert not bad, f"runs.csv has a line with {len(bad[0]) if bad else 0} fields, not {len(columns)}"
    return [dict(zip(columns, row)) for row in rows if row[0] != "phase"]


def final_runs(folder, arm):
    """{seed: validation accuracy} of an arm's final runs."""
    found = {}
    for run in read_runs(folder):
        if run["phase"] == "final" and run["arm"] == arm:
            assert run["seed"] not in found, f"{arm} has two final runs with seed {run['seed']}"
            found[run["seed"]] = float(run["validation"])
    return found


def check_plan(folder):
    """A plan was there before the first run, and is unchanged."""
    plan = read_json(folder, "plan.json", ("arms", "seeds", "settings", "epochs", "measure", "decision"))
    absent = [arm for arm in (*ARMS, "control") if arm not in plan["arms"]]
    assert not absent, f"the plan's arms lack {', '.join(absent)}"
    log = read_log(folder)
    noted = [row for row in log if row[0] == "plan"]
    if not noted:
        raise Missing("log.csv has no plan: call experiment.register_plan() before the first run")
    digest = hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()
    assert noted[-1][1] == digest, (
        "the plan is not the one that was registered: it was changed afterwards. Put the old one back, or "
        "delete runs.csv, keep only the first line of log.csv, and plan and run anew"
    )
    opened = [i for i, row in enumerate(log) if row[0] == "test opened"]
    assert not opened or log.index(noted[-1]) < opened[0], "the test set was opened before there was a plan"


def check_baselines(folder):
    """A trivial and a linear baseline and the control have final runs."""
    for arm in ("trivial", "linear", "control"):
        if not final_runs(folder, arm):
            raise Missing(f"runs.csv has no final run of the baseline {arm!r}")


def check_budgets(folder):
    """Equal epochs and equally many settings tried for each arm."""
    runs = read_runs(folder)
    tried = {}
    for arm in ARMS:
        tried[arm] = {run["setting"] for run in runs if run["phase"] == "tune" and run["arm"] == arm}
        if not tried[arm]:
            raise Missing(f"runs.csv has no tuning run of {arm}")
    counts = {arm: len(settings) for arm, settings in tried.items()}
    assert len(set(counts.values())) == 1, f"unequal tuning: settings tried are {counts}"
    assert min(counts.values()) >= 2, "one setting for each arm is no tuning"
    repeats = {arm: sum(run["phase"] == "tune" and run["arm"] == arm for run in runs) for arm in ARMS}
    assert len(set(repeats.values())) == 1, f"unequal tuning: numbers of tuning runs are {repeats}"
    epochs = {run["epochs"] for run in runs if run["phase"] == "final" and run["arm"] in (*ARMS, "control")}
    assert len(epochs) == 1, f"unequal budgets: the final runs have {', '.join(sorted(epochs))} epochs"


def check_seeds(folder):
    """At least five seeds, which all arms share, with one setting for each arm."""
    control = final_runs(folder, "control")
    assert len(control) >= N_SEEDS, f"the control has {len(control)} seeds, and needs at least {N_SEEDS}"
    for arm in ARMS:
        seeds = final_runs(folder, arm)
        assert seeds.keys() == control.keys(), f"{arm} and the control do not have the same seeds"
        settings = {r["setting"] for r in read_runs(folder) if r["phase"] == "final" and r["arm"] == arm}
        assert len(settings) == 1, f"the final runs of {arm} have several settings"
        tried = {r["setting"] for r in read_runs(folder) if r["phase"] == "tune" and r["arm"] == arm}
        assert settings <= tried, f"the final setting of {arm} was not among those tried"


def check_test_set(folder):
    """The test set is opened once, after all other runs, and chooses nothing."""
    log = read_log(folder)
    opened = [row for row in log if row[0] == "test opened"]
    runs = read_runs(folder)
    tuned = [run for run in runs if run["phase"] != "test" and run["test"]]
    assert not tuned, "a run of the tuning or of the comparison has a test accuracy: the test set chose"
    if not opened:
        raise Missing("the test set has not been opened: experiment.open_test, once, at the end")
    assert len(opened) == 1, f"the log says that the test set was opened {len(opened)} times"
    phases = [run["phase"] for run in runs]
    assert "test" in phases, "runs.csv has no line of the test"
    late = [phase for phase in phases[phases.index("test") :] if phase != "test"]
    assert not late, "there are runs after the test set was opened"


def check_claim(folder):
    """The claim is what runs.csv gives."""
    claim = read_json(
        folder, "claim.json", ("compared", "difference", "interval", "n_seeds", "answer", "replay")
    )
    control = final_runs(folder, "control")
    finals = {arm: final_runs(folder, arm) for arm in ARMS}
    means = {arm: np.mean(list(values.values())) for arm, values in finals.items() if values}
    if len(means) < len(ARMS) or len(control) < 2:
        raise Missing("the final runs are not there yet")
    compared = claim["compared"]
    assert compared in ARMS, f"`compared` is {compared!r}, and must be one of the four arms"
    assert means[compared] == max(means.values()), (
        "`compared` is not the arm with the best mean of its final runs"
    )
    shared = sorted(finals[compared].keys() & control.keys())
    differences = np.array([finals[compared][seed] - control[seed] for seed in shared])
    mean, low, high = paired_interval(differences)
    said = float(claim["difference"])
    if not math.isclose(said, mean, abs_tol=6e-4):
        best = max(finals[compared].values()) - max(control.values())
        best_of = (best, differences.max(), max(finals[compared].values()) - np.mean(list(control.values())))
        lucky = any(math.isclose(said, value, abs_tol=6e-4) for value in best_of)
        assert not lucky, "`difference` is that of the best seeds, not of the means"
        raise AssertionError("`difference` is not the mean difference that runs.csv gives")
    assert int(claim["n_seeds"]) == len(shared), (
        f"`n_seeds` is {claim['n_seeds']}, runs.csv has {len(shared)}"
    )
    got = [float(end) for end in claim["interval"]]
    assert len(got) == 2, "`interval` needs two ends"
    if not np.allclose(got, (low, high), atol=6e-4):
        n = len(shared)
        t = t_quantile(n - 1)
        spread = differences.std(ddof=1)
        unpaired = np.var(list(finals[compared].values()), ddof=1) + np.var(list(control.values()), ddof=1)
        n_runs = sum(run["phase"] == "final" for run in read_runs(folder))
        halves = {
            "count the seeds, not the runs, and take t, because 1.96 is for many seeds": [
                *(t * spread / math.sqrt(m) for m in (1, 2 * n, 5 * n, n_runs)),
                1.96 * spread / math.sqrt(n),
            ],
            "it forgets that the seeds are paired": [
                t_quantile(2 * n - 2) * math.sqrt(unpaired / n),
                t * math.sqrt(unpaired / n),
            ],
            "its standard deviation divides by n, not by n − 1": [t * differences.std() / math.sqrt(n)],
        }
        for reason, sizes in halves.items():
            hit = any(np.allclose(got, (mean - half, mean + half), atol=6e-4) for half in sizes)
            assert not hit, f"`interval` is not the one of runs.csv: {reason}"
        raise AssertionError("`interval` is not the 95 % interval of the paired differences in runs.csv")
    answer = str(claim["answer"]).strip().lower()
    if low <= 0 <= high:
        assert answer == "no difference shown", "the interval holds zero: what may be said then?"
    elif low > 0:
        assert answer == compared, "the interval does not hold zero: the answer is the arm that was compared"
    else:
        assert answer == "control", "the interval lies below zero: even the best of the four made it worse"


def check_replay(folder):
    """One final run gives the same number again, to the last digit."""
    claim = read_json(folder, "claim.json", ("replay",))
    replay = claim["replay"]
    absent = [key for key in ("arm", "setting", "seed") if key not in replay]
    if absent:
        raise Missing(f"`replay` in claim.json has no {', '.join(absent)}")
    chosen = [
        run
        for run in read_runs(folder)
        if run["phase"] == "final"
        and (run["arm"], run["seed"]) == (replay["arm"], str(replay["seed"]))
        and float(run["setting"]) == float(replay["setting"])
    ]
    assert chosen, "runs.csv has no final run like the one named in `replay`"
    arguments = f"{replay['arm']!r}, {replay['setting']!r}, {int(replay['seed'])}, {int(chosen[0]['epochs'])}"
    ran = subprocess.run(
        [sys.executable, "-c", f"import experiment; print(repr(experiment.measure({arguments})))"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert ran.returncode == 0, f"the run cannot be done again: {ran.stderr.strip().splitlines()[-1:]}"
    again = ran.stdout.strip().splitlines()[-1]
    assert again == chosen[0]["validation"], (
        f"done again, the run gives {again}, and runs.csv has {chosen[0]['validation']}: was the code, or "
        "N_ROWS, another one then?"
    )


# %% [markdown]
# The checks of part 3 compare with the faults that the name made, and let the learner's own model speak.


# %%
def decoded(folder, part):
    """All images (n, 28, 28) and labels (n,) of a part of data.npz."""
    with np.load(folder / "data.npz") as stored:
        starts = stored[f"{part}_starts"]
        packed = stored[f"{part}_packed"].tobytes()
        labels = stored[f"{part}_labels"].astype(np.int64)
    images = [np.frombuffer(zlib.decompress(packed[a:b]), np.uint8) for a, b in zip(starts, starts[1:])]
    return np.stack(images).reshape(-1, 28, 28), labels


def check_suspects(folder):
    """200 rows, more than four in five of them wrong labels."""
    if not (folder / "suspects.csv").exists():
        raise Missing("suspects.csv is not there")
    with open(folder / "suspects.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    if table and "row" not in table[0]:
        raise Missing("suspects.csv has no column `row`")
    rows = [int(line["row"]) for line in table]
    assert len(set(rows)) == 200, f"suspects.csv has {len(set(rows))} different rows, and needs 200"
    wrong = faults_of(name_of(folder))["wrong"]
    assert min(rows) >= 0 and max(rows) < len(wrong), "suspects.csv has a row that the training data has not"
    precision = wrong[rows].mean()
    assert precision > 0.8, "fewer than four in five of the suspects have a wrong label"


def class_accuracy(folder, images, marked_class):
    """The share of these images that the learner's model.pt gives `marked_class`."""
    if not (folder / "model.pt").exists():
        raise Missing("model.pt is not there")
    namespace = {}
    exec((folder / "model.py").read_text(encoding="utf-8"), namespace)
    model = namespace["make_model"]()
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    model.eval()
    pixels = images.reshape(len(images), -1).astype(np.float64)  # (n, 784)
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / (pixels.std(axis=1, keepdims=True) + 1e-6)
    inputs = torch.tensor(pixels.reshape(-1, 1, 28, 28), dtype=torch.float32)
    with torch.inference_mode():
        return (model(inputs).argmax(dim=1) == marked_class).double().mean().item()


def check_shortcut(folder):
    """Class and place of the mark, and what the model does without it."""
    keys = ("class", "rows", "columns", "accuracy_as_it_is", "accuracy_painted_over")
    found = read_json(folder, "shortcut.json", keys)
    faults = faults_of(name_of(folder))
    assert int(found["class"]) == faults["class"], "that class has no mark that others lack"
    for axis in ("rows", "columns"):
        first, last = (int(end) for end in found[axis])
        assert last - first < 6, f"`{axis}` has more than six pixels: a mark is smaller"
        low, high = faults[axis]
        assert first <= low and last >= high, f"`{axis}` does not cover the mark"
    images, labels = decoded(folder, "test")
    images = images[labels == faults["class"]]
    painted = images.copy()
    (top, bottom), (left, right) = found["rows"], found["columns"]
    painted[:, top : bottom + 1, left : right + 1] = 0
    for key, shown in (("accuracy_as_it_is", images), ("accuracy_painted_over", painted)):
        value = class_accuracy(folder, shown, faults["class"])
        assert abs(value - float(found[key])) < 0.015, (
            f"`{key}` is not what model.pt gives on these test images"
        )
    assert float(found["accuracy_as_it_is"]) >= 0.5, (
        "model.pt knows fewer than half of these images as they are: train it longer"
    )


def check_figure(folder):
    """There is a picture, and it is not empty."""
    if not (folder / "figure.png").exists():
        raise Missing("figure.png is not there")
    picture = plt.imread(folder / "figure.png")
    assert picture.shape[0] >= 200 and picture.shape[1] >= 200, "figure.png is too small to read"
    assert picture[..., :3].std() > 0.02, "figure.png is empty"


def check_report(folder):
    """One page with its three headings, the figure, and a number that was handed in."""
    if not (folder / "report.md").exists():
        raise Missing("report.md is not there")
    text = (folder / "report.md").read_text(encoding="utf-8")
    for heading in ("## Claim", "## Evidence", "## What would change my mind"):
        if heading not in text:
            raise Missing(f"report.md has no heading {heading!r}")
    n_words = len(text.split())
    assert 150 <= n_words <= 600, f"report.md has {n_words} words; a page has 150 to 600"
    assert "figure.png" in text, "report.md does not refer to figure.png"
    numbers = []
    if (folder / "claim.json").exists():
        numbers += json.loads((folder / "claim.json").read_text(encoding="utf-8")).get("interval", [])
    if (folder / "shortcut.json").exists():
        shortcut = json.loads((folder / "shortcut.json").read_text(encoding="utf-8"))
        numbers += [shortcut.get("accuracy_as_it_is", 0), shortcut.get("accuracy_painted_over", 0)]
    said = False  # a number as it was rounded, with two decimals or more, or in per cent
    for whole, decimals, percent in re.findall(r"([-−]?\d+)(?:[.,](\d+))?( ?(?:%|per ?cent))?", text):
        written = float(f"{whole.replace('−', '-')}.{decimals or 0}")
        if percent or len(decimals) >= 2:
            scale, unit = (100 if percent else 1), 10.0 ** -len(decimals)
            said = said or any(abs(scale * float(n) - written) < 0.51 * unit for n in numbers)
    assert said, "report.md names neither the interval of part 2 nor an accuracy of part 3"


# %% [markdown]
# The last cell does what was asked for: write the project, or judge what is in its folder.

# %%
CHECKS = {
    "1 ticket 1: a split without leak": lambda folder: check_ticket(folder, 1),
    "1 ticket 2: resuming replays": lambda folder: check_ticket(folder, 2),
    "1 ticket 3: each row decoded once": lambda folder: check_ticket(folder, 3),
    "1 ruff": check_ruff,
    "2 a plan before the runs": check_plan,
    "2 baselines and control": check_baselines,
    "2 equal budgets": check_budgets,
    "2 five paired seeds": check_seeds,
    "2 the test set, once": check_test_set,
    "2 the claim and its interval": check_claim,
    "2 one run replays": check_replay,
    "3 suspected labels": check_suspects,
    "3 the shortcut": check_shortcut,
    "3 a figure": check_figure,
    "3 a report": check_report,
}


def verdict(check, folder):
    """'done', 'missing: …', or 'not right yet: …'."""
    try:
        check(Path(folder).expanduser())
    except Missing as error:
        return f"missing: {error}"
    except AssertionError as error:
        return f"not right yet: {error}".partition("\n")[0]
    except Exception as error:
        return f"not right yet: the check stops with {type(error).__name__}: {error}".partition("\n")[0]
    return "done"


def check(folder, part=""):
    """Print a line for each requirement (of one part: "1", "2" or "3"), and how many are done."""
    if not Path(folder).expanduser().is_dir():
        raise ValueError(f"{folder} is no folder")
    verdicts = {}
    for name, judge in CHECKS.items():
        if name.startswith(part):
            verdicts[name] = verdict(judge, folder)
            print(f"{name:36s}{verdicts[name]}", flush=True)
    n_done = sum(state == "done" for state in verdicts.values())
    print(f"{n_done} of {len(verdicts)} done; the five questions about the report are for a friend")
    return verdicts


match COMMAND:
    case ["start", folder, "--name", name]:
        print(f"the project of {name} is in {start(folder, name)}: begin with its README.md")
    case ["check", folder]:
        check(folder)
    case ["check", folder, "--part", part]:
        check(folder, part)
    case _ if FOLDER and NAME and not Path(FOLDER).expanduser().exists():
        print(f"the project of {NAME} is in {start(FOLDER, NAME)}: begin with its README.md")
    case _ if FOLDER:
        check(FOLDER)
    case _:
        print("python capstone.py start FOLDER --name ada     writes the project")
        print("python capstone.py check FOLDER [--part 1]     judges what is there")

# %% [markdown]
# ## Sources
#
# - H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
#   algorithms", 2017: the images.
# - C. G. Northcutt, A. Athalye, J. Mueller, "Pervasive label errors in test sets destabilize machine
#   learning benchmarks", NeurIPS 2021 Datasets and Benchmarks: wrong labels in data that everybody uses.
# - R. Geirhos et al., "Shortcut learning in deep neural networks", _Nature Machine Intelligence_ 2, 2020.
# - C. D. Keeling et al.; _statsmodels_, 2024: the measurements of carbon dioxide.
