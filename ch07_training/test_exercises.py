"""The exercises of chapter 7: the answers pass, stubs are 'not done yet', and known slips are named."""

import inspect
import math

import numpy as np
import pytest


def length(gradients):
    return sum((g**2).sum() for g in gradients).sqrt()


def clips_each(gradients, max_norm):
    return [g * min(1.0, max_norm / g.norm().item()) for g in gradients], length(gradients).item()


def cuts_numbers(gradients, max_norm):
    return [g.clamp(-max_norm, max_norm) for g in gradients], length(gradients).item()


def stretches(gradients, max_norm):
    return [g * max_norm / (length(gradients) + 1e-12) for g in gradients], length(gradients).item()


def length_after(gradients, max_norm):
    clipped = [g * min(1.0, max_norm / length(gradients).item()) for g in gradients]
    return clipped, length(clipped).item()


def in_place(gradients, max_norm):
    before = length(gradients).item()
    for g in gradients:
        g *= min(1.0, max_norm / before)
    return gradients, before


def divides_by_zero(gradients, max_norm):
    before = length(gradients)
    return [g / before * before.clamp(max=max_norm) for g in gradients], before.item()


def adds_lengths(gradients, max_norm):
    return [g / 5 for g in gradients], sum(g.norm() for g in gradients).item()


def adam(gradients, alpha, beta1, beta2, eps, correct_mean=True, correct_square=True, inside=False):
    m, v, changes = 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        mean = m / (1 - beta1**t) if correct_mean else m
        square = v / (1 - beta2**t) if correct_square else v
        changes.append(-alpha * mean / (np.sqrt(square + eps) if inside else np.sqrt(square) + eps))
    return np.array(changes)


def adam_in_place(gradients, *settings, **more):
    changes = adam(gradients, *settings, **more)
    gradients *= 0
    return changes


def schedule(step, lr, n_warmup, period, growth=2, first=1, moved=True, scale=(1.0, 0.0)):
    if step < n_warmup:
        return lr * (step + first) / n_warmup
    t = step - n_warmup if moved else step
    while t >= period:
        t, period = t - period, growth * period
    return lr * (scale[0] * (1 + math.cos(math.pi * t / period)) / 2 + scale[1])


def no_restart(step, lr, n_warmup, period):
    if step < n_warmup:
        return lr * (step + 1) / n_warmup
    return lr * (1 + math.cos(math.pi * (step - n_warmup) / period)) / 2


def spread(gains):
    return np.std(gains, ddof=1)


def chosen(**changes):
    right = {
        "fewest examples": 4,
        "fastest here": 64,
        "fastest on eight": 256,
        "where doubling stops paying": 64,
    }
    return lambda: {**right, **{name.replace("_", " "): b for name, b in changes.items()}}


def interval(gains, level):
    from statistics import NormalDist

    half = NormalDist().inv_cdf((1 + level) / 2) * np.std(gains, ddof=1) / math.sqrt(len(gains))
    return float(np.mean(gains) - half), float(np.mean(gains) + half)


def word_of(low, high):
    return "helps" if low > 0 else "hurts" if high < 0 else "not shown"


def ablation(level=None, sign=1, shift=0, together=False, word=word_of, spoil=False):
    def ablate(run, recipe, removals, seeds):
        report, so_far = {}, dict(recipe)
        for name, change in removals.items():
            so_far = {**(so_far if together else recipe), **change}
            gains = [sign * (run(recipe, s + shift) - run(so_far, s + shift)) for s in seeds]
            low, high = interval(gains, level or 1 - 0.05 / len(removals))
            report[name] = (low, high, word(low, high))
        if spoil:
            recipe["noise"] = 0.0
        return report

    return ablate


def unpaired(run, recipe, removals, seeds):
    full, report = [run(recipe, s) for s in seeds], {}
    for name, change in removals.items():
        without = [run({**recipe, **change}, s) for s in seeds]
        gains = [a - b for a, b in zip(full, without)]
        low, high = interval(gains, 1 - 0.05 / len(removals))
        wide = math.hypot(spread(full), spread(without)) / spread(gains) * (high - low) / 2
        report[name] = (np.mean(gains) - wide, np.mean(gains) + wide, "not shown")
    return report


WRONG = {
    "hardly_firing": [
        (lambda hidden, at_most=0.01: (hidden == 0).double().mean().item(), "count for each unit by itself"),
        (lambda hidden, at_most=0.01: (hidden == 0).any(dim=0).double().mean().item(), "rests for all"),
        (
            lambda hidden, at_most=0.01: ((hidden > 0).double().mean(1) <= at_most).double().mean().item(),
            "the other one",
        ),
        (
            lambda hidden, at_most=0.01: ((hidden > 0).double().mean(0) <= at_most).sum().item(),
            "not their share",
        ),
        (
            lambda hidden, at_most=0.01: ((hidden > 0).double().mean(0) > at_most).double().mean().item(),
            "fire more often",
        ),
        (
            lambda hidden, at_most=0.01: ((hidden > 0).double().mean(0) <= 0).double().mean().item(),
            "exactly the given share",
        ),
        (
            lambda hidden, at_most=0.01: ((hidden > 1e-6).double().mean(0) <= at_most).double().mean().item(),
            "however little",
        ),
    ],
    "clip_gradients": [
        (clips_each, "each was clipped by itself"),
        (cuts_numbers, "cut off at max_norm"),
        (stretches, "clipping only shortens"),
        (length_after, "wants it before"),
        (adds_lengths, "lengths do not add"),
        (in_place, "the gradients given were changed"),
        (divides_by_zero, "mind the division"),
    ],
    "adam_changes": [
        (
            lambda *a, **k: adam(*a, **k, correct_mean=False, correct_square=False),
            "bias correction is missing",
        ),
        (lambda *a, **k: adam(*a, **k, correct_square=False), "only the mean"),
        (lambda *a, **k: adam(*a, **k, inside=True), "under the root"),
        (lambda *a, **k: -adam(*a, **k), "against the gradient"),
        (lambda *a, **k: adam(*a, **k).cumsum(axis=0), "the changes are asked for"),
        (adam_in_place, "the gradients given were changed"),
    ],
    "warm_cosine_restarts": [
        (lambda *a: schedule(*a, first=0), "step 0 gets a rate of zero"),
        (lambda *a: schedule(*a, moved=False), "count its steps from n_warmup"),
        (lambda *a: schedule(*a, growth=1), "twice as long"),
        (no_restart, "climbs up again by itself"),
        (lambda *a: schedule(*a, scale=(2.0, -1.0)), "it is (1 + cos) / 2"),
    ],
    "seeds_needed": [
        (lambda gains, h: math.ceil((2 * np.std(gains) / h) ** 2), "divides by n - 1"),
        (lambda gains, h: math.ceil((spread(gains) / h) ** 2), "the 2 is missing"),
        (lambda gains, h: math.ceil(2 * spread(gains) / h), "the square is missing"),
        (lambda gains, h: math.floor((2 * spread(gains) / h) ** 2), "rounded down"),
        (lambda gains, h: math.ceil((4 * spread(gains) / h) ** 2), "not the whole width"),
    ],
    "batch_sizes": [
        (chosen(fewest_examples=64), "there is a smaller number"),
        (chosen(fastest_here=512), "another batch is faster"),
        (chosen(fastest_on_eight=512), "paid in every step"),
        (chosen(fastest_on_eight=8), "not in the table"),
        (chosen(where_doubling_stops_paying=16), "still saves"),
        (chosen(where_doubling_stops_paying=256), "at a smaller batch"),
        (chosen(fastest_here=100), "not a batch size of the table"),
    ],
    "ablate": [
        (ablation(level=0.95), "demand more of each"),
        (ablation(sign=-1), "the sign"),
        (ablation(shift=100), "other seeds"),
        (ablation(together=True), "one at a time"),
        (ablation(word=lambda low, high: "helps" if low + high > 0 else "hurts"), "shows neither"),
        (ablation(word=lambda low, high: "matters"), "none of the three words"),
        (ablation(spoil=True), "the recipe given was changed"),
        (unpaired, "not paired"),
    ],
}

# a line of the solution, what a reader may have left there instead, what the verdict must say of it
LEFT_WRONG = [
    (
        "x, y = x_train[order], y_train[order]",
        "x, y = x_train[order], y_train[order.flip(0)]",
        "other images' labels",
    ),
    ("            optimizer.zero_grad()\n", "", "pile up"),
    ("        model.eval()\n", "", "runs in training mode"),
    ("        model.train()\n", "", "stays in eval mode"),
    ("with torch.no_grad():", "if True:", "records a graph"),
    ('reduction="sum").item()', 'reduction="mean").item() * 20', "counts as much as one of 32"),
    ("total / len(x_validation)", "total", "should be their mean"),
    ("copy.deepcopy(model.state_dict())", "model.state_dict()", "tensors that training changes"),
    ("if history[-1] == min(history):", "if history[-1] == max(history):", "of the last epoch"),
    ("if history[-1] == min(history):", "if best is None or len(history) == 3:", "not those of the lowest"),
    (
        "order = torch.randperm(len(x_train), generator=generator)",
        "order = torch.arange(len(x_train))",
        "a shuffle",
    ),
    ("x.split(32), y.split(32)", "x[:64].split(32), y[:64].split(32)", "every training row is used once"),
]
NAMES = [
    "hardly_firing",
    "clip_gradients",
    "adam_changes",
    "warm_cosine_restarts",
    "diagnosis",
    "train",
    "seeds_needed",
    "batch_sizes",
    "ablate",
]
FAULTS = ["healthy", "stale gradients", "labels of others", "two softmaxes", "rate too high", "rate too low"]
FAULTS += ["sorted", "asleep"]


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even where a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    assert says in exercises.verdict_on(name, wrong)


@pytest.mark.parametrize("right, wrong, says", LEFT_WRONG)
def test_a_fault_left_in_the_training_function_is_named(exercises, right, wrong, says):
    source = inspect.getsource(exercises.solutions["train"])
    assert source.count(right) == 1
    scope = dict(exercises.solutions)
    exec(source.replace(right, wrong), scope)
    assert says in exercises.verdict_on("train", scope["train"])


def test_the_function_handed_over_has_its_five_faults(exercises):
    """Without its first line the stub runs to its end, and is told of its first fault."""
    source = inspect.getsource(exercises.stub("train"))
    if "return ...  # take this line out" in source:
        scope = dict(vars(exercises.module))
        exec(source.replace("return ...  #", "#"), scope)
        assert "other images' labels" in exercises.verdict_on("train", scope["train"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_diagnosis_is_met_by_a_finding_and_not_by_the_answer(exercises, fault):
    for patient, true in exercises.solutions["diagnosis"]().items():
        said = exercises.verdict_on("diagnosis", lambda answer={patient: fault}: answer)
        if fault == true:
            assert said == "done"
        else:
            assert f"{patient}: where {exercises.module.FAULTS[fault]}" in said
            assert true not in said and exercises.module.FAULTS[true] not in said


def test_a_fault_that_is_not_on_the_list(exercises):
    assert "is not in FAULTS" in exercises.verdict_on("diagnosis", lambda: {"P": "gremlins"})


def test_patients_are_examined_afresh(exercises):
    first, second = (exercises.module.findings(exercises.module.admit("P")) for _ in range(2))
    assert first == second


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == NAMES
