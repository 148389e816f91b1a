"""The exercises of chapter 3: the answers pass, stubs are 'not done yet', and known slips are named."""

import numpy as np
import pytest


def sigmoid(scores):
    return 1 / (1 + np.exp(-np.clip(scores, -500, 500)))


GRADES = {
    "accuracy": 0.88,
    "recall of Chinstrap": 0.6,
    "precision of Chinstrap": 0.75,
    "accuracy of always naming the most common class": 0.4,
    "species that is missed most often, for its number": "Chinstrap",
}
READ = {
    "first loss": 1.39,
    "slope if true": -0.3,
    "slope if not true": 0.7,
    "run A": "underfits",
    "run B": "overfits",
    "run C": "fits",
    "epoch of run B": 20,
    "run to take": "C",
}


def regression(w, b, x, y, rate, factor=2.0, sign=-1, in_place=False, loss_after=False):
    error = x @ w + b - y
    grad_w, grad_b = factor * x.T @ error / len(y), factor * error.mean()
    if in_place:
        w += sign * rate * grad_w
    new_w, new_b = w + sign * rate * grad_w, b + sign * rate * grad_b
    loss = np.mean((x @ new_w + new_b - y) ** 2) if loss_after else np.mean(error**2)
    return new_w, new_b, loss


def soft(weight, bias, x, shares, divide=None, hard=False, stable=True, axis=1, sign=1):
    z = x @ weight.T + bias
    if hard:
        shares = np.eye(shares.shape[1])[shares.argmax(axis=1)]
    raised = np.exp(z - z.max(axis=axis, keepdims=True) if stable else z)
    p = raised / raised.sum(axis=axis, keepdims=True)
    log_p = np.log(p) if not stable else np.log(np.maximum(p, 1e-300))
    grad = sign * (p - shares) / (divide or len(x))
    return -np.sum(shares * log_p) / len(x), grad.T @ x, grad.sum(axis=0)


def fit(x, y, held, rate, n_epochs, size, rng, faults=(), in_place=False):
    base = np.concatenate([x, held]) if "scale" in faults else x
    center, spread = base.mean(axis=0), base.std(axis=0)
    if in_place:
        x -= center
        x /= spread
        scaled = x
    else:
        scaled = (x - center) / spread
    w, b, sums = np.zeros(x.shape[1]), 0.0, (0.0, 0.0)
    for _ in range(n_epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - size + 1 if "last" in faults else len(x), size):
            k = order[start : start + size]
            error = sigmoid(scaled[k] @ w + b) - (y[start : start + size] if "labels" in faults else y[k])
            old = sums if "sums" in faults else (0.0, 0.0)
            sums = old[0] + scaled[k].T @ error / len(k), old[1] + error.mean()
            w, b = w - rate * sums[0], b - rate * sums[1]
    return w, b, center, spread


def judge(train_labels, labels, predictions, rng, chosen_by_test=False, paired=True, one=False, many=False):
    most_common = np.bincount(labels if chosen_by_test else train_labels).argmax()
    ours, base = (predictions == labels) * 1.0, (labels == most_common) * 1.0
    n = len(labels)
    picks = rng.integers(n, size=(2000, 8 * n if many else n))
    others = picks if paired else rng.integers(n, size=(2000, n))
    means = ours[picks].mean(axis=1) - base[others].mean(axis=1)
    low, high = np.quantile(means, [0.16, 0.84] if one else [0.025, 0.975])
    return ours.mean(), base.mean(), low, high


def name(birds, model, own_scale=False, places=False, drop=False, raw=False, order=None):
    kept = [b for b in birds if "NA" not in b.values() and "" not in b.values()]
    columns = order or model["columns"]
    x = np.array([[float(b[c]) for c in columns] for b in kept]).reshape(len(kept), len(columns))
    if own_scale and len(kept):
        x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    elif not raw:
        x = (x - model["center"]) / model["spread"]
    best = (x @ model["weight"].T + model["bias"]).argmax(axis=1)
    answers = [int(i) if places else model["species"][i] for i in best]
    if drop:
        return answers
    answers = iter(answers)
    return [next(answers) if b in kept else None for b in birds]


def net(parameters, x, y, slope=None, mean=True, sums=False):
    w1, b1, w2, b2 = parameters
    z = x @ w1.T + b1
    a = z / (1 + np.abs(z))
    s = (a @ w2.T + b2)[:, 0]
    delta = ((sigmoid(s) - y) / (len(y) if mean else 1))[:, None]
    own = 1 / (1 + np.abs(z)) ** 2 if slope is None else slope(z, a)
    grad = delta @ w2 * own
    loss = np.mean(np.logaddexp(0, s) - y * s)
    return loss, [grad.T @ x, grad.sum(axis=0), delta.T @ (z if sums else a), delta.sum(axis=0)]


def rain(
    train_rows,
    new_rows,
    columns=("temp_max", "temp_min", "wind"),
    own=False,
    times=1.0,
    n_steps=300,
    up=False,
):
    def features(rows):
        return np.array([[float(row[c]) for c in columns] for row in rows])

    x, y = features(train_rows), np.array([float(row["precipitation"]) > 0 for row in train_rows])
    center, spread = x.mean(axis=0), x.std(axis=0)
    x, w, b = (x - center) / spread, np.zeros(len(columns)), 0.0
    for _ in range(n_steps):
        error = (sigmoid(x @ w + b) - y) / len(y)
        w, b = w - x.T @ error, b - error.sum()
    new = features(new_rows)
    new = (new - new.mean(axis=0)) / new.std(axis=0) if own else (new - center) / spread
    return sigmoid((-times if up else times) * (new @ w + b))


def says_rain(train_rows, new_rows):
    return np.array([0.9 if row["weather"] in ("rain", "snow") else 0.1 for row in new_rows])


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "grades_by_hand": [
        (lambda: GRADES | {"accuracy": 0.12}, "accuracy: that is the share that is wrong"),
        (lambda: GRADES | {"recall of Chinstrap": 0.75}, "recall asks how many of 20"),
        (lambda: GRADES | {"precision of Chinstrap": 0.6}, "that is the recall"),
        (lambda: GRADES | {"accuracy": 0.9}, "accuracy: look at the definition"),
        (lambda: GRADES | {"accuracy of always naming the most common class": 1 / 3}, "a coin among three"),
        (lambda: GRADES | {"species that is missed most often, for its number": "Adelie"}, "4 of 40"),
        (lambda: GRADES | {"species that is missed most often, for its number": "Gentoo"}, "along the rows"),
    ],
    "predicted_and_read": [
        (lambda: READ | {"first loss": np.log(2)}, "guesser of two classes"),
        (lambda: READ | {"slope if true": 0.3}, "slope if true: the sign"),
        (lambda: READ | {"slope if true": 0.7}, "the truth, one, has to be subtracted"),
        (lambda: READ | {"slope if not true": -0.7}, "slope if not true: the sign"),
        (lambda: READ | {"run A": "overfits"}, "near a guesser's"),
        (lambda: READ | {"run B": "fits"}, "goes on falling while the validation loss rises"),
        (lambda: READ | {"run C": "overfits"}, "the gap stays small"),
        (lambda: READ | {"epoch of run B": 80}, "validation loss is lowest"),
        (lambda: READ | {"run to take": "B"}, "lowest validation losses"),
    ],
    "regression_step": [
        (lambda *given: regression(*given, factor=1.0), "the factor 2 is missing"),
        (lambda *given: regression(*given, factor=14.0), "divided by n"),
        (lambda *given: regression(*given, sign=1), "goes up the slope"),
        (lambda *given: regression(*given, in_place=True), "changed in place"),
        (lambda *given: regression(*given, loss_after=True), "loss after the step"),
        (lambda w, b, *rest: (regression(w, b, *rest)[0], b, regression(w, b, *rest)[2]), "b has not moved"),
        (lambda w, b, x, y, rate: regression(w, b, x, y, 1.0), "learning rate is missing"),
    ],
    "soft_label_gradients": [
        (lambda *given: soft(*given, divide=1), "the loss is a mean over the birds"),
        (lambda *given: soft(*given, hard=True), "only the most frequent answer"),
        (lambda *given: soft(*given, stable=False), "subtract each row's largest"),
        (lambda *given: soft(*given, sign=-1), "the sign is turned round"),
        (lambda *given: (5 * soft(*given)[0], *soft(*given)[1:]), "a sum over the birds"),
        (
            lambda *given: (soft(*given)[0], *soft(*given, axis=0, stable=False)[1:]),
            "over the classes of one bird",
        ),
    ],
    "repaired_fit": [
        (lambda *given: fit(*given, faults=("scale",)), "has seen the validation birds"),
        (lambda *given: fit(*given, faults=("labels",)), "their labels are not"),
        (lambda *given: fit(*given, faults=("last",)), "never used"),
        (lambda *given: fit(*given, faults=("sums",)), "still in the sum"),
        (lambda *given: fit(*given, faults=("last", "sums")), "never used"),
        (lambda *given: fit(*given, faults=("labels", "last", "sums")), "their labels are not"),
        (lambda *given: fit(*given, in_place=True), "changed in place"),
    ],
    "against_baseline": [
        (lambda *given: judge(*given, chosen_by_test=True), "the test labels have chosen"),
        (lambda *given: judge(*given, paired=False), "resampled separately"),
        (lambda *given: judge(*given, one=True), "one standard error"),
        (lambda *given: judge(*given, many=True), "far too narrow"),
        (lambda *given: (*judge(*given)[:2], *judge(*given)[:1:-1]), "lower end has to come first"),
        (lambda *given: (1 - judge(*given)[0], *judge(*given)[1:]), "share of mistakes"),
    ],
    "name_species": [
        (lambda birds, model: name(birds, model, own_scale=True), "changes with the others"),
        (lambda birds, model: name(birds, model, places=True), "names were asked"),
        (lambda birds, model: name(birds, model, drop=True), "3 answers go"),
        (lambda birds, model: name(birds, model, raw=True), "not scaled"),
        (
            lambda birds, model: name(birds, model, order=("bill_length_mm", "flipper_length_mm")),
            "order of the model's columns",
        ),
    ],
    "softsign_gradients": [
        (lambda *given: net(*given, slope=lambda z, a: 1.0), "slope of the activation is missing"),
        (lambda *given: net(*given, slope=lambda z, a: 1 - a * a), "the slope of tanh"),
        (
            lambda *given: net(*given, slope=lambda z, a: np.sign(z) / (1 + np.abs(z)) ** 2),
            "has no sign in it",
        ),
        (lambda *given: net(*given, mean=False), "the division by n is missing"),
        (lambda *given: net(*given, sums=True), "not by the sums z"),
    ],
    "rain_probabilities": [
        (says_rain, "the answer leaks"),
        (lambda *rows: rain(*rows, columns=("temp_max", "wind", "precipitation")), "the answer leaks"),
        (lambda *rows: rain(*rows, own=True), "is the scale theirs"),
        (lambda *rows: rain(*rows, columns=("temp_max", "wind")), "use both temperatures"),
        (lambda *rows: rain(*rows, times=30.0), "too sure"),
        (lambda *rows: rain(*rows, up=True), "worse than a coin"),
        (lambda *rows: rain(*rows, n_steps=1), "train for longer"),
        (lambda *rows: rain(*rows)[:, None], "should be (365,)"),
        (lambda *rows: rain(*rows) * np.random.default_rng().uniform(0.9, 1, 1), "seed your generator"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even if a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    assert says in exercises.verdict_on(name, wrong)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)


def check_data():
    rng = np.random.default_rng(35)
    return rng.normal(size=(10, 2)) + 3, rng.integers(2, size=10), rng.normal(size=(4, 2)), 0.3, 3, 4


def test_the_broken_loop_has_its_four_faults(exercises):
    """What is handed out as broken is broken in all four ways, and in no other."""
    broken = exercises.module.broken_fit(*check_data(), np.random.default_rng(1))
    faults = ("scale", "labels", "last", "sums")
    for ours, theirs in zip(broken, fit(*check_data(), np.random.default_rng(1), faults=faults)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_outcomes_of_the_repaired_loop_are_what_the_faults_give(exercises):
    for left, numbers in exercises.module.OUTCOMES.items():
        faults = () if left == "none" else left.replace("last batch", "last").split(", ")
        w, b, _, _ = fit(*check_data(), np.random.default_rng(1), faults=faults)
        np.testing.assert_allclose([*w, b], numbers, atol=1e-8)


def test_softsign_gradients_match_autograd(exercises):
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(0)
    parameters = [rng.normal(size=shape) for shape in ((5, 2), (5,), (1, 5), (1,))]
    x, y = rng.normal(size=(7, 2)), rng.integers(2, size=7)
    tensors = [torch.tensor(p, requires_grad=True) for p in parameters]
    hidden = F.softsign(F.linear(torch.tensor(x), *tensors[:2]))
    loss = F.binary_cross_entropy_with_logits(F.linear(hidden, *tensors[2:])[:, 0], torch.tensor(y).double())
    ours = exercises.solutions["softsign_gradients"](parameters, x, y)
    assert ours[0] == pytest.approx(loss.item(), rel=1e-12)
    for mine, theirs in zip(ours[1], torch.autograd.grad(loss, tensors), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_the_rain_model_beats_its_baselines(exercises):
    assert exercises.solutions["new_loss"] < 0.5 and exercises.solutions["new_accuracy"] > 0.75
    assert exercises.solutions["new_accuracy"] > 1 - exercises.solutions["is_wet"].mean() + 0.1
