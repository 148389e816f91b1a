"""The exercises of chapter 2: the answers pass, stubs are 'not done yet', and known slips are named."""

import numpy as np
import pytest


def replaced(solution, **changes):
    """An answer without arguments that returns the solution's dictionary with some entries changed."""
    names = {name.replace(" ", "_"): name for name in solution()}
    return lambda: solution() | {names.get(key, key): value for key, value in changes.items()}


def on_paper(**changes):
    right = {"entry": 20, "projection": 6.2, "slope": -6, "factor": -0.5, "eigenvalue": -1}
    right |= {"posterior": 9 / 108, "error": 4}
    return lambda: right | changes


SHAPES = {
    "(5, 3) @ (3,)": (5,),
    "(3,) @ (5, 3)": "error",
    "(7, 5, 3) @ (3, 2)": (7, 5, 2),
    "(4, 1) + (3,)": (4, 3),
    "(2, 3) + (2,)": "error",
    "(10,) - (10, 1)": (10, 10),
    "(7, 5, 3).mean(axis=1)": (7, 3),
    "(6, 4) - its mean(axis=1)": "error",
    "(6, 4) - its mean(axis=1, keepdims=True)": (6, 4),
    "einsum bij,bj->bi of (7, 5, 3) and (7, 3)": (7, 5),
}


def shapes(changes):
    return lambda: SHAPES | changes


def puzzles(name, wrong):
    """The right puzzles with one of them solved by `wrong`."""

    def answer(x, y, points):
        differences = points[:, None] - points
        right = {"outer": x[:, None] * y, "running sums": np.tri(len(x)) @ x}
        right["distances"] = np.sqrt((differences**2).sum(axis=-1))
        return right | {name: wrong(x, y, points)}

    return answer


def looped_sums(x, y, points):
    total, sums = 0.0, []
    for entry in x:
        total += entry
        sums.append(total)
    return sums


def looped_distances(x, y, points):
    return [[np.linalg.norm(one - other) for other in points] for one in points]


def by_coordinates(x, y, points):
    first, second = points.T
    return np.hypot(first[:, None] - first, second[:, None] - second)


def by_numbered_coordinates(x, y, points):
    squares = [(points.T[axis][:, None] - points.T[axis]) ** 2 for axis in (0, 1)]
    return np.sqrt(squares[0] + squares[1])


def indexed_sums(x, y, points):
    return [sum(x[j] for j in range(i + 1)) for i in range(len(x))]


def derivatives(name, wrong):
    """The right derivatives with one of them replaced by `wrong`."""

    def answer(x):
        right = {"x³ − 2x": 3 * x**2 - 2, "x² exp(x)": (2 * x + x**2) * np.exp(x)}
        right["log(1 + x²)"] = 2 * x / (1 + x**2)
        right["sin(3x) / x"] = 3 * np.cos(3 * x) / x - np.sin(3 * x) / x**2
        right["tanh(x)²"] = 2 * np.tanh(x) * (1 - np.tanh(x) ** 2)
        return right | {name: wrong(x)}

    return answer


def gradient(x, f, h, span, one_sided=False):
    slopes = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[place] = h
        slopes[place] = (f(x + step) - f(x if one_sided else x - step)) / (span * h)
    return slopes


def writes_into_x(f, x, h=1e-5):
    slopes = gradient(np.array(x, dtype=float), f, h, 2)
    x[0] += 1
    return slopes


def whole_numbers_stay_whole(f, x, h=1e-5):
    return gradient(x, f, h, 2).astype(x.dtype)


def whole_numbers_take_no_step(f, x, h=1e-5):
    slopes = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] = x[place] + h
        down[place] = x[place] - h
        if x.dtype.kind == "i":
            down = up
        slopes[place] = (f(up) - f(down)) / (2 * h)
    return slopes


def whole_rows(f, x, h=1e-5):
    slopes = np.zeros(x.shape)
    for i in range(len(x)):
        step = np.zeros(x.shape)
        step[i] = h
        slopes[i] = (f(x + step) - f(x - step)) / (2 * h)
    return slopes


def descent(late=0, halve=True, keep=True, extra=0, strict=True, raises=True, changes=False):
    """careful_descent with one fault."""

    def answer(f, gradient, start, learning_rate, tolerance=1e-6, max_steps=10_000):
        point = start if changes else np.array(start, dtype=float)
        n_steps = 0
        first_rate = learning_rate
        while True:
            slope = gradient(point)
            if np.linalg.norm(slope) < tolerance and n_steps >= late:
                return point, n_steps + extra
            if n_steps >= max_steps - (not strict):
                if raises:
                    raise ValueError("too few steps")
                return point, n_steps
            if not keep:
                learning_rate = first_rate
            while halve and f(point - learning_rate * slope) >= f(point):
                learning_rate /= 2
            if not np.isfinite(slope).all() or n_steps > 500 and not halve:
                raise ValueError("it diverges")
            if changes:
                point -= learning_rate * slope
            else:
                point = point - learning_rate * slope
            n_steps += 1

    return answer


def halves_after_the_step(f, gradient, start, learning_rate, tolerance=1e-6, max_steps=10_000):
    point = np.array(start, dtype=float)
    for n_steps in range(max_steps + 1):
        slope = gradient(point)
        if np.linalg.norm(slope) < tolerance:
            return point, n_steps
        before = f(point)
        point = point - learning_rate * slope
        if f(point) >= before:
            learning_rate /= 2
    raise ValueError("too few steps")


def errors_of(x, y, ws, bs):
    return ws[:, None] * x + bs[:, None, None] - y  # (n_b, n_w, n)


def looped_map(x, y, ws, bs):
    return np.array([[np.mean((w * x + b - y) ** 2) for w in ws] for b in bs])


def bootstrap(values, level, n_draws, rng, size=None, replace=True, tail=None, of_means=True):
    size = len(values) if size is None else size
    samples = np.array([rng.choice(values, size=size, replace=replace) for _ in range(n_draws)])
    numbers = samples.mean(axis=1) if of_means else samples.ravel()
    tail = (1 - level) / 2 if tail is None else tail
    return tuple(np.quantile(numbers, [tail, 1 - tail]))


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "on_paper": [
        (on_paper(entry=15), "entry: that is the elementwise product"),
        (on_paper(entry=2), "entry: that is the product in the other order"),
        (on_paper(projection=31), "projection: the dot product has to be divided"),
        (on_paper(projection=1.24), "projection: that is the amount"),
        (on_paper(slope=6), "slope: the sign is turned round"),
        (on_paper(slope=-3), "slope: the 2 of the square is missing"),
        (on_paper(slope=-2), "slope: that is the slope along b"),
        (on_paper(slope=1), "slope: that is the loss itself"),
        (on_paper(entry=-1), "entry: that is the first row and second column"),
        (on_paper(projection=31 / 50**0.5), "projection: that is the projection of (3, 4)"),
        (on_paper(eigenvalue=1), "eigenvalue: the sign matters"),
        (on_paper(posterior=0.108), "posterior: that is the probability of an alarm"),
        (on_paper(error=12), "error: that is the error of a single draw"),
        (on_paper(error=16), "error: that is the variance of the mean"),
        (on_paper(factor=0.5), "factor: the sign matters"),
        (on_paper(factor=1.5), "factor: that is the part that is taken away"),
        (on_paper(eigenvalue=5), "eigenvalue: that is the eigenvalue of (1, 1)"),
        (on_paper(posterior=0.9), "posterior: that is the probability of an alarm if sick"),
        (on_paper(posterior=0.009), "posterior: that is the probability of sick and alarm together"),
        (on_paper(error=12 / 9), "error: the variance is divided by n"),
        (on_paper(error=7), "error: 7 is not it"),
    ],
    "shapes": [
        (shapes({"(3,) @ (5, 3)": (5,)}), "a vector on the right"),
        (shapes({"(5, 3) @ (3,)": (5, 1)}), "(5, 3) @ (3,) is not (5, 1)"),
        (shapes({"(4, 1) + (3,)": "error"}), "lined up at their right ends"),
        (shapes({"(10,) - (10, 1)": (10,)}), "lined up at their right ends"),
        (shapes({"(7, 5, 3).mean(axis=1)": (7, 5)}), "the axis that is named disappears"),
        (shapes({"(6, 4) - its mean(axis=1)": (6, 4)}), "(6, 4) - its mean(axis=1) is not (6, 4)"),
        (shapes({"(7, 5, 3) @ (3, 2)": (5, 2)}), "the last axis of the first meets"),
        (shapes({"einsum bij,bj->bi of (7, 5, 3) and (7, 3)": (7, 3)}), "the letters on the right"),
    ],
    "puzzles": [
        (puzzles("outer", lambda x, y, p: y[:, None] * x), "outer: it is transposed"),
        (puzzles("running sums", lambda x, y, p: x @ np.tri(len(x))), "the wrong way round"),
        (puzzles("running sums", lambda x, y, p: np.tri(len(x)) * x), "that is a table"),
        (puzzles("running sums", lambda x, y, p: np.tri(len(x), k=-1) @ x), "include their own entry"),
        (puzzles("running sums", lambda x, y, p: 1.0 * x), "that is x itself"),
        (puzzles("running sums", looped_sums), "a loop walks through"),
        (puzzles("running sums", indexed_sums), "single entries are picked"),
        (puzzles("distances", looped_distances), "a loop walks through"),
        (
            puzzles("distances", lambda x, y, p: ((p[:, None] - p) ** 2).sum(-1)),
            "the squares of the distances",
        ),
        (puzzles("distances", lambda x, y, p: np.abs(p[:, None] - p).sum(-1)), "not Pythagoras"),
        (puzzles("distances", lambda x, y, p: np.abs((p[:, None] - p).sum(-1))), "squared before"),
        (
            puzzles("distances", lambda x, y, p: np.sqrt(((p[:, None] - p) ** 2).sum(1))),
            "distances: the shape is",
        ),
    ],
    "derivatives": [
        (derivatives("x³ − 2x", lambda x: 3 * x**2 - 2 * x), "the derivative of 2x is 2"),
        (derivatives("x³ − 2x", lambda x: 3 * x**2), "-2x has a slope"),
        (derivatives("x² exp(x)", lambda x: 2 * x * np.exp(x)), "a product has two parts"),
        (derivatives("log(1 + x²)", lambda x: 1 / (1 + x**2)), "what is inside is missing"),
        (derivatives("log(1 + x²)", lambda x: 2 / x), "u is all of 1 + x²"),
        (
            derivatives("sin(3x) / x", lambda x: (x * np.cos(3 * x) - np.sin(3 * x)) / x**2),
            "a factor from the chain",
        ),
        (derivatives("sin(3x) / x", lambda x: 3 * np.cos(3 * x)), "the quotient of the two derivatives"),
        (derivatives("tanh(x)²", lambda x: 2 * np.tanh(x)), "the derivative of tanh is missing"),
        (derivatives("tanh(x)²", lambda x: 1 - np.tanh(x) ** 2), "the outer square is missing"),
        (derivatives("tanh(x)²", lambda x: 2 * np.tanh(x) * (1 + np.tanh(x) ** 2)), "with a minus"),
        (derivatives("x² exp(x)", lambda x: x**2 * np.exp(x)), "only the part with the derivative of exp"),
        (derivatives("log(1 + x²)", lambda x: 2 * x / (1 + x**2) ** 2), "1/u goes with u'"),
        (
            derivatives("sin(3x) / x", lambda x: (np.sin(3 * x) - 3 * x * np.cos(3 * x)) / x**2),
            "in this order",
        ),
        (derivatives("tanh(x)²", lambda x: x), "tanh(x)²: at ["),
    ],
    "repaired_gradient": [
        (lambda f, x, h=1e-5: gradient(x, f, h, 2, one_sided=True), "half of the slopes"),
        (lambda f, x, h=1e-5: gradient(x, f, h, 4), "half of the slopes"),
        (lambda f, x, h=1e-5: gradient(x, f, h, 2)[::-1], "you have"),
        (lambda f, x, h=1e-5: gradient(x, f, h, 1), "twice the slopes"),
        (lambda f, x, h=1e-5: gradient(x, f, h, 1, one_sided=True), "on one side only"),
        (writes_into_x, "x is not as it was"),
        (whole_numbers_stay_whole, "whole numbers give whole slopes"),
        (whole_numbers_take_no_step, "whole numbers hold no small step"),
        (whole_rows, "every entry needs a step of its own"),
    ],
    "careful_descent": [
        (descent(late=1), "a loop does not end"),
        (descent(late=30, halve=False), "at the bottom no step is needed"),
        (descent(extra=-1), "count every step"),
        (descent(extra=1), "look at the gradient before each step"),
        (descent(halve=False), "a start with a rate of 1 must arrive"),
        (descent(keep=False), "and keep it"),
        (halves_after_the_step, "a step was taken that made the loss larger"),
        (descent(strict=False), "look at the gradient after the last one"),
        (descent(raises=False), "ValueError should say so"),
        (descent(changes=True), "the start was changed"),
    ],
    "loss_map": [
        (lambda x, y, ws, bs: (errors_of(x, y, ws, bs) ** 2).mean(-1).T, "rows and columns are exchanged"),
        (lambda x, y, ws, bs: (errors_of(x, y, ws, bs) ** 2).sum(-1), "that is a sum over the objects"),
        (lambda x, y, ws, bs: errors_of(x, y, ws, bs).mean(-1) ** 2, "squared before the mean"),
        (lambda x, y, ws, bs: np.abs(errors_of(x, y, ws, bs)).mean(-1), "absolute errors"),
        (lambda x, y, ws, bs: errors_of(x, y, ws, bs) ** 2, "the mean over the objects is missing"),
        (looped_map, "a loop walks through"),
    ],
    "walk_on_a_budget": [
        (lambda: {"learning rate": 2 / 51, "steps": 200}, "more than the budget"),
        (lambda: {"learning rate": 0.05, "steps": 120}, "it diverges"),
        (lambda: {"learning rate": 0.0397, "steps": 120}, "the rate is too close to"),
        (lambda: {"learning rate": 0.02, "steps": 120}, "the flat one needs a larger rate"),
        (lambda: {"learning rate": 2 / 51, "steps": 100}, "along the steep direction"),
        (lambda: {"learning rate": 2 / 51, "steps": 115.5}, "a whole number"),
    ],
    "bootstrap_interval": [
        (lambda *args: bootstrap(*args, replace=False), "draw with repeats"),
        (lambda *args: bootstrap(*args, of_means=False), "about means of samples"),
        (
            lambda v, level, n, rng: bootstrap(v, level, n, rng, tail=1 - level),
            "half of the rest lies on each side",
        ),
        (lambda *args: bootstrap(*args, size=100), "as large as the original"),
        (lambda v, level, n, rng: bootstrap(v, 0.95, n, rng), "the level is not used"),
        (lambda v, level, n, rng: bootstrap(v, level, 4000, rng), "n_draws is not used"),
        (lambda v, level, n, rng: bootstrap(v, level, n, np.random.default_rng()), "draw with rng only"),
        (lambda *args: tuple(np.add(bootstrap(*args), 1.0)), "not centred"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


@pytest.mark.parametrize("distances", [by_coordinates, by_numbered_coordinates])
def test_the_two_coordinates_may_be_taken_apart(exercises, distances):
    assert exercises.verdict_on("puzzles", puzzles("distances", distances)) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even where a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    assert says in exercises.verdict_on(name, wrong)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)
    assert all(len(pairs) >= 3 for pairs in WRONG.values())


def test_the_broken_gradient_is_broken_as_the_text_says(exercises):
    """Half of the slopes on floats, nothing on whole numbers, an error on tables, and traces in x."""
    broken = exercises.module.broken_gradient
    x = np.array([0.5, -1.2])
    np.testing.assert_allclose(broken(lambda x: (x**2).sum(), x.copy()), x, rtol=1e-4)
    assert broken(lambda x: (x**2).sum(), np.array([3, 5])).dtype.kind == "i"
    assert exercises.verdict_on("repaired_gradient", broken) != "done"
