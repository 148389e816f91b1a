# %% [markdown]
# # 7 Exercises: optimizers, schedules, faulty runs and honest comparisons
#
# Nine exercises on the training of networks: two rules to write from their formulas, two gauges, four
# runs to diagnose, a training function with five faults to repair, and three decisions about experiments.
# Each function returns `...` as it stands. Put your code there, run the cell, then run the cell after it.
# It answers _done_, _not done yet_, or what your answer gets wrong. Nothing stops, so take them in any
# order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 7 (lessons 7.1 to 7.7). Answers, each with its reason, are in `solutions.py`.

# %%
import math
import random
import traceback
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# The next cell is the machine that answers. You need not read it.

# %%
verdicts = {}


class NotDone(Exception):
    """The answer still has `...` in it."""


def unfinished(result):
    """Whether there is a `...` anywhere in what an answer returned."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return any(unfinished(part) for part in result)
    return result is ...


def verdict(check, answer):
    """What `check` finds about `answer`: 'done', 'not done yet', or what is wrong with it."""

    def asked(*args, **kwargs):
        result = answer(*args, **kwargs)
        if unfinished(result):
            raise NotDone
        return result

    try:
        check(asked)
    except NotDone:
        return "not done yet"
    except AssertionError as error:
        return "not right yet: " + str(error).partition("\n")[0]  # pytest adds lines of its own
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.line for frame in frames if frame.name == getattr(answer, "__name__", None)]
        where = f", in your line {lines[-1]!r}" if lines else ""
        return f"stops with {type(error).__name__}: {error}{where}"
    return "done"


def exercise(check):
    """Judge the answer that `check` is named after, and print the verdict."""
    name = check.__name__.removeprefix("check_")
    verdicts[name] = verdict(check, globals()[name])
    print(f"{name:24s}{verdicts[name]}")
    return check


def compare(got, expected, slips=()):
    """Pass if got is expected; else fail with the slip that gives the same numbers, if there is one."""
    if hasattr(got, "detach"):
        got = got.detach().cpu()  # a tensor that records its history does not become an array by itself
    got = np.asarray(got, dtype=float)
    expected = np.asarray(expected, dtype=float)
    for what, wrong in ((None, expected), *slips):
        if got.shape == np.shape(wrong) and np.allclose(got, wrong, rtol=1e-6, atol=1e-9):
            if what is None:
                return
            raise AssertionError(what)
    assert got.shape == expected.shape, f"the shape is {got.shape}, and should be {expected.shape}"
    assert np.isfinite(got).all(), "not all of the numbers are finite"
    worst = np.unravel_index(np.abs(got - expected).argmax(), got.shape)
    if not worst:  # a single number: say the direction, for the number itself would be the answer
        raise AssertionError(f"you have {got:.6g}, it should be {'larger' if got < expected else 'smaller'}")
    place = ", ".join(str(int(i)) for i in worst)
    raise AssertionError(f"at [{place}] you have {got[worst]:.6g}, it should be {expected[worst]:.6g}")


def summary():
    """How many exercises are done."""
    n_done = sum(state == "done" for state in verdicts.values())
    return f"{n_done} of {len(verdicts)} exercises done"


# %% [markdown]
# ## 1 A gauge: units that hardly fire
#
# About ten minutes. Given the outputs of a ReLU layer for a large batch, return the share of its units
# that fire (are above zero) for at most a given share of the examples. With `at_most=0` these are the
# dead units (7.5).


# %%
def hardly_firing(hidden, at_most=0.01):
    """Share of units (columns of hidden (B, n), from a ReLU) that fire for at most this share of examples."""
    return ...


# %%
@exercise
def check_hardly_firing(answer):
    columns = [[0, 0, 0, 0], [1, 0, 3, 0], [0, 0, 1, 0], [2, 1, 0.5, 1], [0, 0, 0, 0]]
    hidden = torch.tensor(columns, dtype=torch.float32).T  # (4, 5): five units, four examples
    slips = [
        ("that is the share of zeros in the whole array: count for each unit by itself", 0.65),
        ("those are units that rest for some example; a dead one rests for all", 0.8),
        ("rows are examples, columns are units: you looked along the other one", 0.0),
        ("that is the number of units, not their share", 2.0),
        ("that is the share of units that fire more often", 0.6),
    ]
    compare(answer(hidden, 0.0), 0.4, slips)
    quarter = [("a unit that fires for exactly the given share is counted, too", 0.4)]
    compare(answer(hidden, 0.25), 0.6, quarter)
    compare(answer(torch.zeros(5, 3)), 1.0, [("with no unit alive the share is one", 0.0)])
    compare(
        answer(torch.full((200, 2), 1e-9)), 0.0, [("a unit fires if it is above zero, however little", 1.0)]
    )


# %% [markdown]
# ## 2 Clip the gradients
#
# About fifteen minutes. If the length of _all_ gradients taken together exceeds `max_norm`, shrink all of
# them by one factor, so that the step keeps its direction. Return new gradients and the length before,
# for the log.


# %%
def clip_gradients(gradients, max_norm):
    """([new gradients, together of length at most max_norm], their length before); gradients: tensors."""
    return ..., ...


# %%
@exercise
def check_clip_gradients(answer):
    gradients = [torch.tensor([1.0, 2.0]), torch.tensor([[2.0], [4.0]])]  # together 5 long
    given = [g.clone() for g in gradients]
    clipped, before = answer(gradients, 1.0)
    clipped = [*clipped]
    unchanged = all(torch.equal(g, kept) for g, kept in zip(gradients, given))
    assert unchanged, "the gradients given were changed"
    by_itself = all(abs(g.norm() - 1) < 1e-6 for g in clipped)
    assert not by_itself, "each was clipped by itself: that turns the step; they share one length"
    by_value = all((g == 1).all() for g in clipped)
    assert not by_value, "every number was cut off at max_norm: that turns the step; shrink all by one factor"
    slips = [
        ("that is the length after; a reader of the log wants it before", 1.0),
        ("the squares are summed, their root is missing", 25.0),
        ("lengths do not add; their squares do", sum(g.norm() for g in given)),
    ]
    compare(before, 5.0, slips)
    for got, g in zip(clipped, gradients):
        compare(got, g / 5, [("shrunk by the squared length: the root is missing", g / 25)])
    kept, before = answer(gradients, 10.0)
    for got, g in zip(kept, gradients):
        compare(got, g, [("they were short enough, and you stretched them: clipping only shortens", 2 * g)])
    zeros, before = answer([torch.zeros(2)], 1.0)
    assert torch.isfinite(zeros[0]).all(), "gradients of zero become nan: mind the division by their length"


# %% [markdown]
# ## 3 Adam from its paper
#
# About twenty minutes. Algorithm 1 of Kingma and Ba (2015), for a history of gradients that is already
# known: row $t$ of `gradients` is the gradient of step $t$. Return how each step changes the weights.
# With $m$ and $v$ zero before the first step, and $t$ counted from 1:
#
# $$\begin{aligned}
#   m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, & \hat m_t &= m_t / (1 - \beta_1^t) \\
#   v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2, & \hat v_t &= v_t / (1 - \beta_2^t) \\
#   \text{change}_t &= -\alpha\, \hat m_t / (\sqrt{\hat v_t} + \varepsilon)
# \end{aligned}$$


# %%
def adam_changes(gradients, alpha=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
    """The change of the weights in each step (T, n) that Adam makes of gradients (T, n), step by step."""
    return ...


# %%
def adam_by_torch(gradients, alpha, beta1, beta2, eps):
    """The same by torch.optim.Adam, as an array (T, n)."""
    w = torch.zeros(gradients.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=alpha, betas=(beta1, beta2), eps=eps)
    places = [w.detach().clone()]
    for g in gradients:
        w.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        places.append(w.detach().clone())
    return torch.stack(places).diff(dim=0).numpy()


@exercise
def check_adam_changes(answer):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 3)) * [1e-3, 1.0, 50.0]
    given = gradients.copy()
    settings = {"alpha": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3}
    expected = adam_by_torch(gradients, **settings)
    m, v, plain, inside, uncorrected_v = 0.0, 0.0, [], [], []
    for t, g in enumerate(gradients, 1):
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        mean, square = m / (1 - 0.8**t), v / (1 - 0.95**t)
        plain.append(-0.1 * m / (np.sqrt(v) + 1e-3))
        inside.append(-0.1 * mean / np.sqrt(square + 1e-3))
        uncorrected_v.append(-0.1 * mean / (np.sqrt(v) + 1e-3))
    slips = [
        ("the bias correction is missing", plain),
        ("only the mean of the gradients is corrected, that of the squares is not", uncorrected_v),
        ("eps stands under the root; here it is added to the root", inside),
        ("the sign: a step goes against the gradient", -expected),
        ("those are the places after each step; the changes are asked for", expected.cumsum(axis=0)),
    ]
    got = answer(gradients, **settings)
    assert np.array_equal(gradients, given), "the gradients given were changed"
    compare(got, expected, slips)
    compare(
        answer(np.array([[3], [-1]]), 0.1, 0.9, 0.999, 1e-8),
        adam_by_torch(np.array([[3.0], [-1.0]]), 0.1, 0.9, 0.999, 1e-8),
    )


# %% [markdown]
# ## 4 A schedule: warm-up, then a cosine with restarts
#
# About twenty minutes. In the first `n_warmup` steps the rate rises in a straight line: step 0 has `lr /
# n_warmup`, and step `n_warmup - 1` has `lr`. Step `n_warmup` starts a cosine at `lr` that would reach
# zero `period` steps later; there the next cosine starts at `lr`, with a period twice as long, and so on.
# Without any warm-up the first cosine starts at step 0.


# %%
def warm_cosine_restarts(step, lr, n_warmup, period):
    """The learning rate of a step (counted from 0): linear warm-up, then cosines of doubling periods."""
    return ...


# %%
@exercise
def check_warm_cosine_restarts(answer):
    def right(step, lr, n_warmup, period, growth=2):
        if step < n_warmup:
            return lr * (step + 1) / n_warmup
        t = step - n_warmup
        while t >= period:
            t, period = t - period, growth * period
        return lr * (1 + math.cos(math.pi * t / period)) / 2

    steps = range(34)
    expected = [right(step, 0.4, 4, 10) for step in steps]
    off_by_one = [0.4 * step / 4 if step < 4 else right(step, 0.4, 4, 10) for step in steps]
    not_moved = [right(step, 0.4, 4, 10) if step < 4 else right(step, 0.4, 0, 10) for step in steps]
    once = [
        right(step, 0.4, 4, 10**6) if step < 4 else right(min(step, 13.9999999), 0.4, 4, 10) for step in steps
    ]
    slips = [
        ("step 0 gets a rate of zero and does nothing: it should be lr / n_warmup", off_by_one),
        ("the cosine has to begin when the warm-up ends: count its steps from n_warmup", not_moved),
        (
            "the periods stay equal; each should be twice as long as the one before",
            [right(s, 0.4, 4, 10, 1) for s in steps],
        ),
        (
            "a cosine without restarts: after its period it climbs up again by itself",
            [right(s, 0.4, 4, 10) if s < 4 else 0.2 * (1 + math.cos(math.pi * (s - 4) / 10)) for s in steps],
        ),
        ("there is no restart after the first period", once),
        (
            "half a cosine falls from 1 to 0: it is (1 + cos) / 2",
            [right(s, 0.4, 4, 10) if s < 4 else 2 * right(s, 0.4, 4, 10) - 0.4 for s in steps],
        ),
    ]
    compare([answer(step, 0.4, 4, 10) for step in steps], expected, slips)
    compare([answer(step, 1.0, 0, 3) for step in range(5)], [right(step, 1.0, 0, 3) for step in range(5)])


# %% [markdown]
# ## 5 Four patients
#
# About half an hour. Each of the four loops below reads 8×8 digits and has one of these faults, or none:


# %%
FAULTS = {
    "healthy": "all is well",
    "stale gradients": "gradients are not cleared between steps",
    "labels of others": "every image has another image's label",
    "two softmaxes": "probabilities go into a loss that expects scores",
    "rate too high": "steps are sixty times too long",
    "rate too low": "steps are sixty times too short",
    "sorted": "batches come in the order of the labels",
    "asleep": "the hidden layer starts with biases of minus ten",
}
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")[:640]  # 64 pixels and a label
digits = digits[np.random.default_rng(7).permutation(len(digits))]


class Patient:
    """A training loop with one fault. You may look at all of it but `_fault`."""

    def __init__(self, fault):
        self._fault = fault
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        self.rate = 0.1 * {"rate too high": 60, "rate too low": 1 / 60}.get(fault, 1)
        self.x = torch.tensor(digits[:, :64] / 16, dtype=torch.float32)  # (640, 64)
        self.y = torch.tensor(digits[:, 64], dtype=torch.int64)  # (640,)
        if fault == "labels of others":
            self.y = self.y.roll(1)
        order = self.y.argsort(stable=True) if fault == "sorted" else torch.arange(640)
        self.batches = order.split(32)
        if fault == "asleep":
            nn.init.constant_(self.model[0].bias, -10.0)

    def loss_of(self, scores, labels):
        """The loss function of this loop, for any scores (B, 10) and labels (B,)."""
        return F.cross_entropy(scores.softmax(1) if self._fault == "two softmaxes" else scores, labels)

    def loss(self, rows):
        """The loss that this loop trains on, over some rows of its data."""
        return self.loss_of(self.model(self.x[rows]), self.y[rows])

    def step(self, rows):
        """One step on these rows; returns the loss before it."""
        if self._fault != "stale gradients":
            self.model.zero_grad()
        loss = self.loss(rows)
        loss.backward()
        with torch.no_grad():
            for weight in self.model.parameters():
                weight -= self.rate * weight.grad
        return loss.item()

    def train(self, n_epochs):
        """All the losses of so many epochs."""
        return [self.step(rows) for _ in range(n_epochs) for rows in self.batches]


dealt = random.Random(149).sample(list(FAULTS), 4)


def admit(name):
    """A fresh copy of patient P, Q, R or S, before any training."""
    return Patient(dealt["PQRS".index(name)])


# %% [markdown]
# Their learning curves: the mean loss of every ten steps, for four epochs. Look at them, write down a
# guess, then examine the patients in cells of your own (lesson 7.4): the loss before training, a single
# batch learned by heart, the batches themselves, the size of an update, the hidden layer. `admit("P")`
# gives a fresh copy of patient P.

# %%
for name in "PQRS":
    losses = admit(name).train(n_epochs=4)
    print(name, " ".join(f"{np.mean(losses[i : i + 10]):6.2f}" for i in range(0, len(losses), 10)))


# %%
def diagnosis():
    """{"P": a name from FAULTS, "Q": ..., "R": ..., "S": ...}."""
    return {"P": ..., "Q": ..., "R": ..., "S": ...}


# %% [markdown]
# The answer to a wrong diagnosis is a finding that speaks against it, and not the right one.


# %%
def findings(patient):
    """What an examination of a fresh patient measures: {what: number}."""
    model, (first, second) = patient.model, patient.batches[:2]
    found = {"the first loss is": patient.loss(first).item()}
    certain = 1e4 * F.one_hot(patient.y, 10).float()
    found["scores that are certain and right have a loss of"] = patient.loss_of(certain, patient.y).item()
    classes = [len(patient.y[rows].unique()) for rows in patient.batches]
    found["the number of classes in a batch is"] = float(np.median(classes))
    nearest = torch.cdist(patient.x, patient.x).fill_diagonal_(math.inf).argmin(dim=1)
    agree = (patient.y[nearest] == patient.y).double().mean().item()
    found["the share of images that agree with their nearest neighbour is"] = agree
    found["the share of dead hidden units is"] = (model[:2](patient.x) == 0).all(dim=0).double().mean().item()
    before = [w.detach().clone() for w in model.parameters()]
    patient.step(first)
    moved = sum(((w - v) ** 2).sum().item() for w, v in zip(model.parameters(), before))
    found["the length of the first step is"] = math.sqrt(moved)
    fresh = torch.autograd.grad(patient.loss(second), model.parameters())
    patient.step(second)
    off = sum(((w.grad - g) ** 2).sum().item() for w, g in zip(model.parameters(), fresh))
    found["the second step goes by a gradient that is off from a fresh one by"] = math.sqrt(off)
    again = Patient(patient._fault)
    found["the loss of one batch after 300 steps on it alone is"] = [again.step(first) for _ in range(300)][
        -1
    ]
    return found


@exercise
def check_diagnosis(answer):
    for name, fault in answer().items():
        assert fault in FAULTS, f"{name}: {fault!r} is not in FAULTS"
        claimed, seen = findings(Patient(fault)), findings(admit(name))
        against = {what: abs(math.log((claimed[what] + 0.01) / (seen[what] + 0.01))) for what in seen}
        what = max(against, key=against.get)
        assert against[what] < 0.05, (
            f"{name}: where {FAULTS[fault]}, {what} {claimed[what]:.2g}; here it is {seen[what]:.2g}"
        )


# %% [markdown]
# ## 6 Five faults in one function
#
# About half an hour. A colleague hands over this training function. It runs without an error and its
# losses fall, but it has five faults: some are wrong lines, others are lines that are missing. Its
# docstring is right. Take out the first line, find all five faults, and repair them; names, parameters
# and what it returns stay as they are.


# %%
def train(model, x_train, y_train, x_validation, y_validation, n_epochs=10, rate=0.1, seed=0):
    """Train `model` by mini-batch SGD on shuffled batches of 32; return (best weights, validation losses).

    A validation loss is the mean over all validation examples after an epoch, in evaluation mode. The best
    weights are a state dict as it was after the epoch with the lowest validation loss.
    """
    return ...  # take this line out when you begin
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    best, history = None, []
    for _ in range(n_epochs):
        x = x_train[torch.randperm(len(x_train), generator=generator)]
        y = y_train[torch.randperm(len(y_train), generator=generator)]
        for inputs, labels in zip(x.split(32), y.split(32)):
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
        losses = []
        with torch.no_grad():
            for inputs, labels in zip(x_validation.split(32), y_validation.split(32)):
                losses.append(F.cross_entropy(model(inputs), labels).item())
        history.append(sum(losses) / len(losses))
        if history[-1] == min(history):
            best = model.state_dict()
    return best, history


# %%
class Witness(nn.Module):
    """A linear model that writes down what is done to it. Column 0 of its input is the row's number."""

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_classes)
        nn.init.zeros_(self.linear.weight)
        self.seen, self.fresh, self.stale = [], None, False
        self.linear.weight.register_hook(lambda gradient: setattr(self, "fresh", gradient.clone()))
        self.linear.weight.register_post_accumulate_grad_hook(self.compare_with_fresh)

    def compare_with_fresh(self, weight):
        self.stale |= not torch.allclose(weight.grad, self.fresh, atol=1e-7)

    def forward(self, x):
        scores = self.linear(torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], dim=1))
        note = {"rows": x[:, 0].long().tolist(), "training": self.training, "graph": torch.is_grad_enabled()}
        self.seen.append(note)
        if scores.requires_grad:  # a label is where cross-entropy's gradient is below zero
            scores.register_hook(lambda gradient: note.update(labels=gradient.argmin(dim=1).tolist()))
        return scores


@exercise
def check_train(answer):
    generator = torch.Generator().manual_seed(0)
    n, n_validation = 80, 40  # neither is a multiple of 32
    x = torch.cat([torch.arange(120.0)[:, None], torch.randn(120, 5, generator=generator)], dim=1)
    y = torch.randint(3, (120,), generator=generator)
    data = x[:n], y[:n], x[n:], y[n:]

    witness = Witness(6, 3)
    answer(witness, *data, n_epochs=2, seed=1)
    training = [note for note in witness.seen if "labels" in note]
    watching = [note for note in witness.seen if min(note["rows"]) >= n]
    assert training, "nothing was trained"
    pairs = [(row, label) for note in training for row, label in zip(note["rows"], note["labels"])]
    assert all(row < n for row, _ in pairs), "the model was trained on validation rows"
    assert all(y[row] == label for row, label in pairs), (
        "images were trained with other images' labels: both have to be shuffled by the same permutation"
    )
    order = [row for row, _ in pairs]
    assert sorted(order) == sorted([*range(n)] * 2), "in an epoch every training row is used once"
    assert order[:n] != order[n:] and order[:n] != sorted(order[:n]), "an epoch needs a shuffle of its own"
    assert not witness.stale, "gradients pile up from step to step: clear them"
    assert watching, "no validation row went through the model"
    assert not any(note["graph"] for note in watching), (
        "validation records a graph that nobody needs: no_grad"
    )
    assert not any(note["training"] for note in watching), (
        "validation runs in training mode: dropout would be on"
    )
    assert all(note["training"] for note in training), (
        "after the first validation the model stays in eval mode"
    )

    resting = Witness(6, 3)
    nn.init.normal_(resting.linear.weight, std=3.0, generator=generator)
    with torch.no_grad():
        right = F.cross_entropy(resting(x[n:]), y[n:]).item()
        halves = [F.cross_entropy(resting(x[a:b]), y[a:b]).item() for a, b in ((80, 112), (112, 120))]
    _, history = answer(resting, *data, n_epochs=1, rate=0.0)
    slips = [
        ("the last batch has 8 rows and counts as much as one of 32: mean over examples", [np.mean(halves)])
    ]
    compare(history, [right], [*slips, ("the sum over examples, it should be their mean", [40 * right])])

    hopeless = Witness(6, 3)  # validation labels that training moves away from
    turned = torch.cat([x[:n_validation, :1] + n, x[:n_validation, 1:]], dim=1)
    best, history = answer(hopeless, *data[:2], turned, (y[:n_validation] + 1) % 3, n_epochs=6, rate=1.0)
    assert len(history) == 6, "there is one validation loss for each epoch"
    assert history[-1] > min(history) + 1e-3
    again = Witness(6, 3)
    again.load_state_dict(best)
    with torch.no_grad():
        found = F.cross_entropy(again(turned), (y[:n_validation] + 1) % 3).item()
    assert abs(found - history[-1]) > 1e-4, (
        "the best weights are those of the last epoch: state_dict() hands out tensors that training changes"
    )
    assert abs(found - min(history)) < 1e-4, (
        "the weights returned are not those of the lowest validation loss"
    )


# %% [markdown]
# ## 7 How many seeds?
#
# About ten minutes. A pilot has given the gains of a change for a few seeds. How many seeds should the
# experiment have, so that its 95 % interval reaches about `half_width` to both sides (7.7)? Use $2$ for
# Student's $t$, and round up.


# %%
def seeds_needed(pilot_gains, half_width):
    """The number of seeds (an int) for an interval of ± half_width, by the spread of a pilot's gains."""
    return ...


# %%
@exercise
def check_seeds_needed(answer):
    gains = [0.02, -0.01, 0.03, 0.0, 0.01, 0.04]
    spread, biased = np.std(gains, ddof=1), np.std(gains)
    slips = [
        (
            "that spread divides by n; a spread from few values divides by n - 1",
            math.ceil((2 * biased / 0.005) ** 2),
        ),
        (
            "an interval reaches two standard errors to each side: the 2 is missing",
            math.ceil((spread / 0.005) ** 2),
        ),
        ("the square is missing: half the width needs four times the seeds", math.ceil(2 * spread / 0.005)),
        ("rounded down: then the interval is wider than asked for", math.floor((2 * spread / 0.005) ** 2)),
        ("half_width is the reach to one side, not the whole width", math.ceil((4 * spread / 0.005) ** 2)),
        (
            "that is the number of seeds for the mean of the gains, not for their spread",
            math.ceil((2 * np.mean(gains) / 0.005) ** 2),
        ),
    ]
    compare(answer(gains, 0.005), math.ceil((2 * spread / 0.005) ** 2), slips)
    compare(answer([1, 3, 5, 7], 2), math.ceil((2 * np.std([1, 3, 5, 7], ddof=1) / 2) ** 2))


# %% [markdown]
# ## 8 Choose the batch size from a cost table
#
# About fifteen minutes. The table says what it took to reach the same loss with different batches, each
# at its own best rate, on one machine. Fill in a batch size for each question. (A wrong one is answered
# by its reason.)
#
# - `"fewest examples"`: every example has to be simulated at great cost, and computing is free.
# - `"fastest here"`: you wait for this machine.
# - `"fastest on eight"`: eight such machines share each batch, and a step of $B$ examples takes as long
#   as one of $B / 8$ on one machine, plus 10 ms for exchanging the gradients (7.8).
# - `"where doubling stops paying"`: the smallest batch whose doubling saves less than a quarter of the
#   steps.

# %%
COST_TABLE = {  # batch size: (steps, milliseconds for one step)
    4: (4000, 1.0),
    8: (2050, 1.05),
    16: (1080, 1.1),
    32: (610, 1.3),
    64: (380, 2.0),
    128: (300, 3.6),
    256: (270, 6.9),
    512: (262, 13.5),
}
print(f"{'batch':8s}{'steps':>10s}{'ms per step':>12s}")
for batch_size, (n_steps, milliseconds) in COST_TABLE.items():
    print(f"{batch_size:<8d}{n_steps:10d}{milliseconds:12.2f}")


# %%
def batch_sizes():
    """For each question a batch size from COST_TABLE."""
    return {
        "fewest examples": ...,
        "fastest here": ...,
        "fastest on eight": ...,
        "where doubling stops paying": ...,
    }


# %%
@exercise
def check_batch_sizes(answer):
    sizes = list(COST_TABLE)
    examples = {b: b * n_steps for b, (n_steps, _) in COST_TABLE.items()}
    seconds = {b: n_steps * ms / 1000 for b, (n_steps, ms) in COST_TABLE.items()}
    shared = {
        b: n * (COST_TABLE[b // 8][1] + 10) / 1000 for b, (n, _) in COST_TABLE.items() if b // 8 in COST_TABLE
    }
    chosen = answer()
    for question, b in chosen.items():
        assert b in COST_TABLE, f"{question}: {b!r} is not a batch size of the table"
    b = chosen["fewest examples"]
    assert examples[b] == min(examples.values()), (
        f"fewest examples: with {b} it takes {examples[b]}, there is a smaller number"
    )
    b = chosen["fastest here"]
    assert seconds[b] == min(seconds.values()), (
        f"fastest here: with {b} it takes {seconds[b]:.2f} s, another batch is faster"
    )
    b = chosen["fastest on eight"]
    assert b in shared, (
        f"fastest on eight: a share of {b} / 8 examples is not in the table; take a larger batch"
    )
    best = min(shared, key=shared.get)
    assert b == best, (
        f"fastest on eight: with {b} it takes {shared[b]:.2f} s; the 10 ms are paid in every step"
    )
    b = chosen["where doubling stops paying"]
    saved = {b: 1 - COST_TABLE[2 * b][0] / COST_TABLE[b][0] for b in sizes[:-1]}
    assert b in saved, "where doubling stops paying: the table does not go beyond 512"
    assert saved[b] < 0.25, (
        f"where doubling stops paying: doubling {b} still saves {saved[b]:.0%} of the steps"
    )
    smaller = [a for a in sizes if a < b and saved[a] < 0.25]
    assert not smaller, f"where doubling stops paying: it already saves little at a smaller batch than {b}"


# %% [markdown]
# ## 9 Design an ablation
#
# About forty minutes. A recipe has several ingredients. Write the function that finds out which of them
# are shown to matter: `run(config, seed)` trains once and returns an accuracy. Take out _one_ ingredient
# at a time, compare with the recipe on the _same_ seeds, and let the intervals of all removals together
# be right 95 % of the time with Bonferroni's correction (7.7). `interval` below gives the interval of a
# mean for any level. Report for each ingredient its interval and one of the three words.


# %%
def interval(gains, level):
    """The interval (low, high) of this level for the mean of gains, by the normal distribution."""
    from statistics import NormalDist

    half = NormalDist().inv_cdf((1 + level) / 2) * np.std(gains, ddof=1) / math.sqrt(len(gains))
    return float(np.mean(gains) - half), float(np.mean(gains) + half)


def ablate(run, recipe, removals, seeds):
    """{name: (low, high, word)} for each of removals {name: changes of the recipe}.

    (low, high): interval of what the recipe gains over the recipe with these changes, paired by seed; word:
    "helps" if all of it is above zero, "hurts" if all of it is below, else "not shown".
    """
    return ...


# %%
@exercise
def check_ablate(answer):
    EFFECTS = {"noise": 0.02, "decay": 0.0, "tricks": -0.02, "size": 0.013}
    calls = []

    def run(config, seed):
        calls.append((dict(config), seed))
        shared = np.random.default_rng(seed).normal() * 0.05  # what all runs of a seed have in common
        own = np.random.default_rng([seed, *(int(config[name] * 10) for name in EFFECTS)]).normal() * 0.02
        return 0.9 + sum(EFFECTS[name] * config[name] for name in EFFECTS) + shared + own

    recipe = dict.fromkeys(EFFECTS, 1.0)
    removals = {f"no {name}": {name: 0.0} for name in EFFECTS}
    seeds = list(range(12))
    got = answer(run, recipe, removals, seeds)
    assert recipe == dict.fromkeys(EFFECTS, 1.0), "the recipe given was changed: make a new dictionary"
    assert {seed for _, seed in calls} <= set(seeds), "runs were made with other seeds than those given"
    out = {tuple(name for name in EFFECTS if config[name] == 0) for config, _ in calls}
    assert max(len(names) for names in out) <= 1, "several ingredients were taken out at once: one at a time"
    assert () in out, "the recipe itself was never run"
    assert set(got) == set(removals), "there should be one entry for each removal"
    gains = {}
    for name, change in removals.items():
        gains[name] = [run(recipe, seed) - run({**recipe, **change}, seed) for seed in seeds]
    level = 1 - 0.05 / len(removals)
    for name, (low, high, word) in got.items():
        right = interval(gains[name], level)
        unpaired = math.hypot(
            *(
                np.std(s, ddof=1)
                for s in (
                    [run(recipe, seed) for seed in seeds],
                    [run({**recipe, **removals[name]}, seed) for seed in seeds],
                )
            )
        )
        wide = unpaired / np.std(gains[name], ddof=1) * (right[1] - right[0])
        slips = [
            (
                f"{name}: intervals of 95 % each; with {len(removals)} comparisons demand more of each",
                interval(gains[name], 0.95),
            ),
            (f"{name}: the sign: what the recipe gains over the recipe without it", (-right[1], -right[0])),
            (
                f"{name}: this interval is not paired: subtract seed by seed",
                (np.mean(gains[name]) - wide / 2, np.mean(gains[name]) + wide / 2),
            ),
        ]
        compare((low, high), right, slips)
        expected = "helps" if right[0] > 0 else "hurts" if right[1] < 0 else "not shown"
        assert word in ("helps", "hurts", "not shown"), f"{name}: {word!r} is none of the three words"
        said = (
            "an interval that holds zero shows neither" if expected == "not shown" else "look where zero lies"
        )
        assert word == expected, (
            f"{name}: {word!r} does not fit the interval {low:+.3f} to {high:+.3f}; {said}"
        )


# %% [markdown]
# ## Where you are

# %%
print(summary())
