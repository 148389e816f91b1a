"""The exercises of chapter 5: the answers pass, stubs are 'not done yet', and known slips are named."""

import numpy as np
import pytest


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def perceptron(step, zero_is_yes=False, with_bias=True, change_examples=False):
    """An answer to exercise 1 with a rule of its own."""

    def answer(x, labels, n_epochs):
        weight, bias, mistakes = np.zeros(x.shape[1]), 0.0, 0
        for _ in range(n_epochs):
            mistakes = 0
            for features, label in zip(x, labels):
                score = weight @ features + bias
                said = int(score >= 0 if zero_is_yes else score > 0)
                weight, bias = weight + step(label, said) * features, bias + with_bias * step(label, said)
                mistakes += said != label
            if mistakes == 0:
                break
        if change_examples:
            x *= 2
        return weight, bias, mistakes

    return answer


def right_step(label, said):
    return label - said


def one_pass_only(x, labels, n_epochs):
    return perceptron(right_step)(x, labels, 1)


def log_mean_exp(x, axis=-1, mean=True):
    largest = x.max(axis=axis, keepdims=True)
    e = np.exp(x - largest)
    return np.squeeze(largest, axis) + np.log(e.mean(axis=axis) if mean else e.sum(axis=axis))


def overall_largest(x):
    return x.max() + np.log(np.exp(x - x.max()).mean(axis=-1))


def replaced(name, **changes):
    """The solution's dictionary with some answers changed (keys by their first words)."""

    def answer(exercises):
        answers = dict(exercises.solutions[name]())
        for start, value in changes.items():
            (key,) = [key for key in answers if key.startswith(start.replace("_", " "))]
            answers[key] = value
        return lambda: answers

    answer.needs_solutions = True
    return answer


def weighted(logits, labels, weights, scale_loss=None, scale_grad=None, target=1.0, by_column=False):
    """Exercise 5 with other divisors, targets or weights."""
    p, hot, c = softmax(logits), np.eye(logits.shape[1])[labels], weights[labels]
    nll = -np.log(p[np.arange(len(labels)), labels])
    factor = weights if by_column else c[:, None]
    loss = (c * nll).sum() / (c.sum() if scale_loss is None else scale_loss)
    return loss, factor * (p - target * hot) / (c.sum() if scale_grad is None else scale_grad)


def overflowing(logits, labels, weights):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    hot, c = np.eye(logits.shape[1])[labels], weights[labels]
    return -(c * np.log((p * hot).sum(axis=1))).sum() / c.sum(), c[:, None] * (p - hot) / c.sum()


def unweighted(logits, labels, weights):
    return weighted(logits, labels, np.ones_like(weights))


def changes_logits(logits, labels, weights):
    result = weighted(logits, labels, weights)
    logits -= logits.max(axis=1, keepdims=True)
    return result


def network(n_hidden=32, n_epochs=12, rate=0.3, activation="tanh", sign=-1, transpose=False, n_examples=1200):
    """An answer to exercise 6 with its own settings."""

    def answer(x, y, rng):
        x, y = x[:n_examples], y[:n_examples]
        w1, b1 = rng.uniform(-1, 1, (n_hidden, 64)) / 8, np.zeros(n_hidden)
        w2, b2 = rng.uniform(-1, 1, (10, n_hidden)) / np.sqrt(n_hidden), np.zeros(10)
        for _ in range(n_epochs):
            for batch in np.split(rng.permutation(len(x)), range(32, len(x), 32)):
                z = x[batch] @ w1.T + b1
                h = np.tanh(z) if activation == "tanh" else np.maximum(z, 0)
                g2 = (softmax(h @ w2.T + b2) - np.eye(10)[y[batch]]) / len(batch)
                g1 = (g2 @ w2) * (1 - h * h if activation == "tanh" else h > 0)
                w2, b2 = w2 + sign * rate * g2.T @ h, b2 + sign * rate * g2.sum(axis=0)
                w1, b1 = w1 + sign * rate * g1.T @ x[batch], b1 + sign * rate * g1.sum(axis=0)
        return (w1.T if transpose else w1), b1, w2, b2

    return answer


def raises(x):
    return x @ np.ones(77)


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "zero_one_perceptron": [
        (perceptron(lambda t, a: a - t), "sign is turned round"),
        (perceptron(lambda t, a: t * (t != a)), "label 0 change nothing"),
        (perceptron(lambda t, a: 2 * t - 1), "right answers change the weights"),
        (perceptron(right_step, with_bias=False), "the bias never changes"),
        (perceptron(right_step, zero_is_yes=True), "exactly zero is answered with 0"),
        (perceptron(right_step, change_examples=True), "changed the examples"),
        (one_pass_only, "your last pass has"),
        (lambda *args: (*perceptron(right_step)(*args)[:2], 0), "only the first of these three is a mistake"),
    ],
    "softplus": [
        (lambda x: (np.log(1 + np.exp(x)), sigmoid(x)), "let exp see -|x| only"),
        (lambda x: (np.logaddexp(0, x), np.exp(x) / (1 + np.exp(x))), "let exp see -|x| only"),
        (lambda x: (np.logaddexp(0, x), 1 / (1 + np.exp(x))), "the factor e^x is missing"),
        (lambda x: (np.logaddexp(0, x), sigmoid(x) * (1 - sigmoid(x))), "slope of the sigmoid"),
        (lambda x: (np.logaddexp(0, x), np.exp(x)), "1/u is missing"),
        (lambda x: (np.maximum(x, 0), (x > 0) * 1.0), "that is ReLU"),
        (
            lambda x: (np.maximum(x, 0) + np.log(1 + np.exp(-np.abs(x))), 0.5 * (1 + np.tanh(x / 2))),
            "needs log1p",
        ),
        (
            lambda x: (np.logaddexp(0, np.float64(x)), 0.5 * (1 + np.tanh(np.float64(x) / 2))),
            "float32 in, float64 out",
        ),
    ],
    "log_mean_exp": [
        (lambda x: np.log(np.exp(x).mean(axis=-1)), "take the largest out"),
        (lambda x: log_mean_exp(x, mean=False), "divide by K"),
        (lambda x: x.mean(axis=-1), "mean of the logarithms"),
        (lambda x: log_mean_exp(x, axis=0), "runs over the first axis"),
        (overall_largest, "each row needs its own largest"),
        (log_mean_exp, "rows with -inf"),
        (raises, "in your line 'return x @ np.ones(77)'"),
    ],
    "shapes_and_sizes": [
        (replaced("shapes_and_sizes", shape_of_the_second=(60, 20)), "its transpose"),
        (replaced("shapes_and_sizes", shape_of_the_second=[60, 100]), "first weight matrix"),
        (replaced("shapes_and_sizes", shape_of_the_first=(60,)), "there are 16 of them"),
        (replaced("shapes_and_sizes", shape_of_the_gradient=(16, 5, 20)), "are added up"),
        (replaced("shapes_and_sizes", parameters_of=7300), "the biases are missing"),
        (replaced("shapes_and_sizes", operations=7300), "takes an addition, too"),
        (replaced("shapes_and_sizes", parameters_if=500), "merged bias is missing"),
        (lambda: {}, "keep the keys"),
    ],
    "weighted_cross_entropy": [
        (unweighted, "loss: the weights are missing"),
        (lambda z, y, c: weighted(z, y, c, scale_loss=len(y)), "loss: divided by the number of examples"),
        (lambda z, y, c: weighted(z, y, c, scale_loss=1), "loss: that is a sum"),
        (lambda z, y, c: weighted(z, y, c, scale_loss=c.sum()), "sum of the class weights"),
        (lambda z, y, c: weighted(z, y, c, scale_grad=len(y)), "gradient: divided by the number"),
        (lambda z, y, c: weighted(z, y, c, scale_grad=1), "gradient: not divided"),
        (lambda z, y, c: weighted(z, y, c, target=0.0), "still needs its minus one"),
        (lambda z, y, c: weighted(z, y, c, by_column=True), "not the column's"),
        (overflowing, "take each row's largest out"),
        (changes_logits, "changed the logits"),
    ],
    "train_tanh_network": [
        (network(n_epochs=0), "has it been trained"),
        (network(sign=1, n_epochs=2), "has it been trained"),
        (network(n_hidden=64, n_epochs=1), "64 hidden units are more than 40"),
        (network(transpose=True, n_epochs=1), "w1 has shape (64, 32)"),
        (network(activation="relu", n_epochs=40), "but tanh is asked for"),
        (network(n_epochs=1), "train longer"),
        (
            lambda x, y, rng: (np.full((3, 64), np.nan), np.zeros(3), np.zeros((10, 3)), np.zeros(10)),
            "w1 is not finite",
        ),
    ],
    "who_can": [
        (replaced("who_can", three_linear=True), "one linear layer"),
        (replaced("who_can", **{"2 hidden neurons: XOR": False}), "two ReLUs"),
        (replaced("who_can", **{"2 hidden neurons: yes in some": True}), "directions"),
        (replaced("who_can", **{"3 hidden": False}), "each side of a triangle"),
        (replaced("who_can", **{"1000": True}), "straight pieces"),
    ],
    "waiting_time_loss": [
        (lambda z, t: ((np.exp(z) * t - z).sum(), np.exp(z) * t - 1), "loss: that is a sum"),
        (lambda z, t: ((z - np.exp(z) * t).mean(), (1 - np.exp(z) * t) / len(t)), "loss: the sign"),
        (lambda z, t: ((np.exp(z) * t).mean(), np.exp(z) * t / len(t)), "the density has the rate in front"),
        (lambda z, t: ((t / np.exp(z) + z).mean(), z), "not of the mean 1 / rate"),
        (lambda z, t: ((np.exp(z) - t * z).mean(), z), "that is the Poisson loss"),
        (lambda z, t: ((np.exp(z) * t - z).mean(), np.exp(z) * t - 1), "divided by n"),
        (lambda z, t: ((np.exp(z) * t - z).mean(), (t - np.exp(-z)) / len(t)), "along the rate"),
        (lambda z, t: ((np.exp(z) * t - z).mean(), np.exp(z) * t / len(t)), "has the slope -1"),
    ],
    "read_the_tables": [
        (replaced("read_the_tables", never="B"), "never answers dog either"),
        (replaced("read_the_tables", always="C"), "single column"),
        (replaced("read_the_tables", has_the_highest_mean="A"), "counts each class alike"),
        (replaced("read_the_tables", is_wrong="A"), "columns (precision)"),
        (replaced("read_the_tables", reaches="A"), "exactly 200 right"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even where a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    answer = wrong(exercises) if hasattr(wrong, "needs_solutions") else wrong
    with np.errstate(all="ignore"):  # a warning of a wrong answer is not what is tested
        assert says in exercises.verdict_on(name, answer)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)


def test_the_tables_are_as_the_exercise_says(exercises):
    tables = exercises.module.CONFUSION
    assert all(table.sum(axis=1).tolist() == [200, 60, 40] for table in tables.values())
    accuracy = {name: np.trace(table) for name, table in tables.items()}
    recall = {name: (table.diagonal() / table.sum(axis=1)).mean() for name, table in tables.items()}
    assert max(accuracy, key=accuracy.get) == "A" and max(recall, key=recall.get) == "D"
    wrong_dogs = {name: 1 - table[1, 1] / max(table[:, 1].sum(), 1) for name, table in tables.items()}
    assert [name for name in "ACD" if wrong_dogs[name] > 1 / 3] == ["D"]


def test_three_neurons_bound_a_region_and_two_draw_xor():
    """What the solution of exercise 7 says, tried out."""
    grid = np.stack(np.meshgrid(np.linspace(-50, 50, 401), np.linspace(-50, 50, 401)), axis=-1)
    angles = 2 * np.pi * np.arange(3) / 3
    sides = grid @ np.array([np.cos(angles), np.sin(angles)]) - 1  # (401, 401, 3): negative inside a triangle
    inside = 0.5 - np.maximum(sides, 0).sum(axis=-1) > 0
    assert inside.any() and not (inside[[0, -1]].any() or inside[:, [0, -1]].any())
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    z = corners.sum(axis=1) - 1
    assert ((0.5 - np.maximum(z, 0) - np.maximum(-z, 0) > 0) == [False, True, True, False]).all()
