"""The exercises of chapter 6: the answers pass, stubs are 'not done yet', and known slips are named."""

import math

import numpy as np
import pytest
from numpy import exp

# 1: the right numbers, and what may be wrong with each
BY_HAND = {"u": 6, "v": 4, "L": 24, "grad_v": 6, "grad_u": 10, "grad_a": 24, "grad_b": 20, "paths": 3}


def by_hand(**wrong):
    """An answer to exercise 1 in which some numbers are wrong."""
    return lambda: BY_HAND | wrong


# 2


def overwrites(graph):
    grads = {name: 0.0 for name, _ in graph} | {graph[-1][0]: 1.0}
    for name, parents in reversed(graph):
        for parent, slope in parents:
            grads[parent] = grads[name] * slope
    return grads


def first_comes_only(graph):
    grads = {graph[-1][0]: 1.0}
    for name, parents in reversed(graph):
        for parent, slope in parents:
            grads.setdefault(parent, grads[name] * slope)
    return grads


def starts_from_zero(graph):
    return {name: 0.0 for name, _ in graph}


def walks_forward(graph):
    grads = {name: 0.0 for name, _ in graph} | {graph[-1][0]: 1.0}
    for name, parents in graph:
        for parent, slope in parents:
            grads[parent] += grads[name] * slope
    return grads


def walks_every_path(graph):
    nodes, grads = dict(graph), {name: 0.0 for name, _ in graph}

    def walk(name, arrived):
        grads[name] += arrived
        for parent, slope in nodes[name]:
            walk(parent, arrived * slope)

    walk(graph[-1][0], 1.0)
    return grads


# 3


def nodes(
    tanh_slope=lambda x, t: 1 - t * t, softmax_slope=lambda p, i, j: p[i] * ((i == j) - p[j]), shift=True
):
    """An answer to exercise 3 with these slopes."""

    def answer(scores):
        Value = type(scores[0])
        tanhs = []
        for score in scores:
            out = math.tanh(score.data)
            tanhs.append(Value(out, (score,), "tanh", (tanh_slope(score.data, out),)))
        largest = max(score.data for score in scores) if shift else 0.0
        exps = [math.exp(score.data - largest) for score in scores]
        p = [part / sum(exps) for part in exps]
        places = range(len(p))
        softmaxes = [Value(p[i], scores, "softmax", [softmax_slope(p, i, j) for j in places]) for i in places]
        return tanhs, softmaxes

    return answer


def numbers_for_nodes(scores):
    x = np.array([score.data for score in scores])
    e = exp(x - x.max())
    return list(np.tanh(x)), list(e / e.sum())


def one_parent_each(scores):
    tanhs, softmaxes = nodes()(scores)
    Value = type(scores[0])
    return tanhs, [Value(s.data, scores[:1], "softmax", s._slopes) for s in softmaxes]


def several_nodes(scores):
    tanhs, softmaxes = nodes()(scores)
    Value = type(scores[0])
    return [t * Value(1.0) for t in tanhs], softmaxes


# 4 and 5


def softmax(x, axis=1):
    e = exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def hot(logits, labels):
    return np.eye(logits.shape[1])[labels]


def sigmoid(x):
    small = exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


def unshifted(logits, labels):
    e = exp(logits)
    return (e / e.sum(axis=1, keepdims=True) - hot(logits, labels)) / len(labels)


def in_place(logits, labels):
    logits[:] = (softmax(logits) - hot(logits, labels)) / len(labels)
    return logits


def raises(x, grad):
    return x @ np.ones(7)


# 7


def colleague(grad, shape):
    grad = grad.mean(axis=tuple(range(grad.ndim - len(shape))))
    for i, size in enumerate(shape):
        if size == 1:
            grad = grad.sum(axis=i)
    return grad


def front_only(grad, shape):
    return grad.sum(axis=tuple(range(grad.ndim - len(shape))))


def without_keepdims(grad, shape):
    grad = front_only(grad, shape)
    return grad.sum(axis=tuple(i for i, size in enumerate(shape) if size == 1))


# 8


def norm_parts(x, gain, grad, eps):
    r = np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
    return r, x / r, grad * gain, (grad * x / r).sum(axis=0)


def constant_r(x, gain, grad, eps=1e-5):
    r, h, g, to_gain = norm_parts(x, gain, grad, eps)
    return g / r, to_gain


def sum_for_mean(x, gain, grad, eps=1e-5):
    r, h, g, to_gain = norm_parts(x, gain, grad, eps)
    return (g - h * (g * h).sum(axis=1, keepdims=True)) / r, to_gain


def without_gain(x, gain, grad, eps=1e-5):
    r, h, g, to_gain = norm_parts(x, gain, grad, eps)
    return (grad - h * (grad * h).mean(axis=1, keepdims=True)) / r, to_gain


def without_eps(x, gain, grad, eps=1e-5):
    r, h, g, _ = norm_parts(x, gain, grad, 0.0)
    return (g - h * (g * h).mean(axis=1, keepdims=True)) / r, norm_parts(x, gain, grad, eps)[3]


def own_output_only(x, gain, grad, eps=1e-5):
    r, h, g, to_gain = norm_parts(x, gain, grad, eps)
    return (g - g * h * h / x.shape[1]) / r, to_gain


def gain_for_each_row(x, gain, grad, eps=1e-5):
    r, h, g, to_gain = norm_parts(x, gain, grad, eps)
    return (g - h * (g * h).mean(axis=1, keepdims=True)) / r, grad * h


# 9


def measured(f, x, h=1e-5, both=True):
    slopes = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += h
        down[place] -= h * both
        slopes[place] = (f(up) - f(down)) / (h * (1 + both))
    return slopes


def relative(a, b, least=1e-12):
    return (np.abs(a - b) / np.maximum(np.abs(a) + np.abs(b), least)).max()


def leaves_x_moved(f, gradient, x):
    error = relative(measured(f, x), gradient)
    x += 1e-5
    return error


def divides_by_zero(f, gradient, x):
    with np.errstate(invalid="ignore"):
        return relative(measured(f, x), gradient, least=0.0)


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "graph_by_hand": [
        (by_hand(u=5), "u is a product"),
        (by_hand(v=8), "v takes a away"),
        (by_hand(grad_v=4), "the other factor"),
        (by_hand(grad_u=4), "the path through v is missing"),
        (by_hand(grad_u=6), "only the path through v is there"),
        (by_hand(grad_a=30), "its direct use in v is missing"),
        (by_hand(grad_a=-6), "its use in u is missing"),
        (by_hand(grad_a=36), "along a is minus one"),
        (by_hand(grad_a=6), "must have both of its paths"),
        (by_hand(grad_b=30), "along b is a, not b"),
        (by_hand(grad_b=8), "must have both of its paths"),
        (by_hand(grad_b=10), "still has to be multiplied"),
        (by_hand(paths=6), "the number of arrows"),
        (by_hand(paths=2), "without u"),
        (by_hand(L=...), "not done yet"),
    ],
    "path_gradients": [
        (overwrites, "only its use in"),
        (first_comes_only, "only its use in f"),
        (starts_from_zero, "the walk starts there"),
        (walks_forward, "add, do not overwrite"),
        (walks_every_path, "each path by itself"),
    ],
    "tanh_and_softmax": [
        (nodes(tanh_slope=lambda x, t: 1.0), "tanh: the slope is missing"),
        (nodes(tanh_slope=lambda x, t: 1 - x * x), "you have taken the input"),
        (nodes(tanh_slope=lambda x, t: 1 - t), "with the square"),
        (nodes(softmax_slope=lambda p, i, j: p[i] * (1 - p[i]) * (i == j)), "moves the other probabilities"),
        (nodes(softmax_slope=lambda p, i, j: p[i] * (i == j)), "treated as a constant"),
        (nodes(softmax_slope=lambda p, i, j: -p[i] * p[j]), "the 1 is missing"),
        (nodes(softmax_slope=lambda p, i, j: p[i] * (p[j] - (i == j))), "the wrong way round"),
        (nodes(shift=False), "take the largest score away"),
        (numbers_for_nodes, "return Values"),
        (one_parent_each, "one slope for each of its parents"),
        (several_nodes, "make one node, not several"),
    ],
    "swish_backward": [
        (lambda x, g: g * sigmoid(x), "only the path through x itself"),
        (lambda x, g: g * x * sigmoid(x) * (1 - sigmoid(x)), "only the path through the sigmoid"),
        (lambda x, g: sigmoid(x) * (1 + x * (1 - sigmoid(x))), "dL/dy has to be multiplied in"),
        (lambda x, g: g * (sigmoid(x) + x * sigmoid(x)), "s(1 - s)"),
        (lambda x, g: g / (1 + exp(-x)) * (1 + x * (1 - 1 / (1 + exp(-x)))), "exp overflows"),
        (raises, "in your line 'return x @ np.ones(7)'"),
    ],
    "cross_entropy_backward": [
        (lambda z, y: softmax(z) - hot(z, y), "the loss is a mean"),
        (lambda z, y: (softmax(z) - hot(z, y)) / z.size, "over rows only"),
        (lambda z, y: (hot(z, y) - softmax(z)) / len(y), "the wrong way round"),
        (lambda z, y: softmax(z) / len(y), "not yet taken away"),
        (lambda z, y: -hot(z, y) / len(y), "must be pushed down"),
        (lambda z, y: (softmax(z, axis=0) - hot(z, y)) / len(y), "ran down the columns"),
        (unshifted, "take each row's largest"),
        (in_place, "work on a copy"),
    ],
    "linear_backward": [
        (lambda x, w, g: (g @ w.T, g.T @ x, g.sum(0)), "dL/dx: w is the wrong way round"),
        (lambda x, w, g: (g @ w, x.T @ g, g.sum(0)), "dL/dw: it is transposed"),
        (lambda x, w, g: (g @ w, g.T @ x / len(x), g.sum(0)), "dL/dw: a mean over the rows"),
        (lambda x, w, g: (g @ w, g.T @ x, g), "dL/db: one row for each example"),
        (lambda x, w, g: (g @ w, g.T @ x, g.mean(0)), "dL/db: a mean over the rows"),
        (lambda x, w, g: (g @ w, g.T @ x, g.sum(1)), "dL/db: summed over the outputs"),
    ],
    "unbroadcast": [
        (colleague, "that is a mean"),
        (front_only, "axes of length one were broadcast too"),
        (lambda g, shape: g.sum(), "nothing was broadcast here"),
        (without_keepdims, "keepdims keeps it"),
        (lambda g, shape: g, "the shape is (2, 3, 4), and should be (4,)"),
    ],
    "rms_norm_backward": [
        (constant_r, "treated as a constant"),
        (sum_for_mean, "a sum where the derivative of a mean"),
        (without_gain, "the gain is missing"),
        (without_eps, "eps is missing"),
        (own_output_only, "its own y only"),
        (gain_for_each_row, "they all share the gain"),
    ],
    "gradient_error": [
        (lambda f, g, x: relative(measured(f, x, both=False), g), "move both ways"),
        (lambda f, g, x: relative(measured(f, x, h=1e-14), g), "about 1e-5"),
        (lambda f, g, x: np.abs(measured(f, x) - g).max(), "make the error relative"),
        (lambda f, g, x: relative(measured(f, x)[0, 0], g[0, 0]), "try all entries"),
        (lambda f, g, x: relative(np.abs(measured(f, x)), np.abs(g)), "wrong sign"),
        (leaves_x_moved, "put every entry back"),
        (divides_by_zero, "nan"),
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
