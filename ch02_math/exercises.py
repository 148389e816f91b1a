# %% [markdown]
# # 2 Exercises: shapes, slopes, steps and samples
#
# Nine exercises, from numbers on paper to an interval for a mean. Each is a function that returns `...`
# as it stands. Put your answer there, run the cell, and then run the cell after it. It answers _done_,
# _not done yet_, or what is wrong, by name if it is a well-known slip. Nothing stops, so take them in any
# order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 2, paper and NumPy. Answers, each with its reason, are in `solutions.py`.

# %%
import traceback

import numpy as np

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
# ## 1 Seven numbers on paper
#
# About twenty minutes, without a computer. Fill in the numbers:
#
# - `entry`: the entry in the second row and first column of $\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
#   \begin{pmatrix} 0 & 1 \\ 5 & -1 \end{pmatrix}$.
# - `projection`: the length of the projection of $(1, 7)$ on $(3, 4)$.
# - `slope`: $\partial L / \partial w$ of the squared error of the line $w x + b$ with $w = 1$, $b = -2$,
#   for one bird with $x = 3$, $y = 2$.
# - `factor`: what one step of gradient descent with the learning rate $0.3$ multiplies the distance from
#   the bottom by, on a parabola of curvature $5$.
# - `eigenvalue`: the eigenvalue of $\begin{pmatrix} 2 & 3 \\ 3 & 2 \end{pmatrix}$ that belongs to the
#   eigenvector $(1, -1)$.
# - `posterior`: a test raises an alarm for 90 % of the sick and for 10 % of the healthy; one person in a
#   hundred is sick. The probability of being sick after an alarm, to three decimals.
# - `error`: the standard error of the mean of nine independent draws with the standard deviation $12$.


# %%
def on_paper():
    """The seven numbers, by name."""
    return {
        "entry": ...,
        "projection": ...,
        "slope": ...,
        "factor": ...,
        "eigenvalue": ...,
        "posterior": ...,
        "error": ...,
    }


# %%
@exercise
def check_on_paper(answer):
    a, b = np.array([[1, 2], [3, 4]]), np.array([[0, 1], [5, -1]])
    u, v = np.array([1, 7]), np.array([3, 4])
    w, x, y = 1, 3, 2
    miss = w * x - 2 - y
    alarm = np.array([0.9, 0.1]) * np.array([0.01, 0.99])  # sick and healthy
    truth = {
        "entry": ((a @ b)[1, 0], {  # (2, 2) @ (2, 2) -> (2, 2)
            (a * b)[1, 0]: "that is the elementwise product; a matrix product adds up row times column",
            (b @ a)[1, 0]: "that is the product in the other order: the rows come from the first matrix",
            (a @ b)[0, 1]: "that is the first row and second column",
        }),
        "projection": (u @ v / np.sqrt(v @ v), {
            u @ v: "the dot product has to be divided by the length of (3, 4)",
            u @ v / (v @ v): "that is the amount of (3, 4) in it; its length is asked for",
            u @ v / np.sqrt(u @ u): "that is the projection of (3, 4) on (1, 7)",
        }),
        "slope": (2 * miss * x, {
            -2 * miss * x: "the sign is turned round: the error is the prediction minus the true value",
            miss * x: "the 2 of the square is missing",
            2 * miss: "that is the slope along b; along w the error changes x times as fast",
            miss**2: "that is the loss itself",
        }),
        "factor": (1 - 0.3 * 5, {
            0.3 * 5: "that is the part that is taken away; what is left of the distance?",
            -(1 - 0.3 * 5): "the sign matters: the step goes past the bottom",
        }),
        "eigenvalue": (2 - 3, {
            2 + 3: "that is the eigenvalue of (1, 1)",
            -(2 - 3): "the sign matters: compare the image of (1, -1) with (1, -1) itself",
        }),
        "posterior": (alarm[0] / alarm.sum(), {
            0.9: "that is the probability of an alarm if sick, not of sick if there is an alarm",
            alarm[0]: "that is the probability of sick and alarm together; divide by that of an alarm",
            alarm.sum(): "that is the probability of an alarm",
        }),
        "error": (12 / np.sqrt(9), {
            12 / 9: "the variance is divided by n, and so the standard deviation by the root of n",
            12: "that is the error of a single draw",
            12**2 / 9: "that is the variance of the mean; its root is asked for",
        }),
    }  # fmt: skip
    given = answer()
    for name, (right, reasons) in truth.items():
        for wrong, reason in reasons.items():
            assert abs(given[name] - wrong) > 5e-4 or abs(right - wrong) < 5e-4, f"{name}: {reason}"
        assert abs(given[name] - right) < 5e-4, f"{name}: {given[name]} is not it; write down each step"


# %% [markdown]
# ## 2 Which shape?
#
# About fifteen minutes, without a computer. Below, `(5, 3)` stands for an array of this shape. What is
# the shape of each result? Write a tuple, or `"error"` if NumPy refuses.


# %%
def shapes():
    """Expression -> the shape of its result, a tuple, or "error"."""
    return {
        "(5, 3) @ (3,)": ...,
        "(3,) @ (5, 3)": ...,
        "(7, 5, 3) @ (3, 2)": ...,
        "(4, 1) + (3,)": ...,
        "(2, 3) + (2,)": ...,
        "(10,) - (10, 1)": ...,
        "(7, 5, 3).mean(axis=1)": ...,
        "(6, 4) - its mean(axis=1)": ...,
        "(6, 4) - its mean(axis=1, keepdims=True)": ...,
        "einsum bij,bj->bi of (7, 5, 3) and (7, 3)": ...,
    }


# %%
@exercise
def check_shapes(answer):
    six, seven = np.ones((6, 4)), np.ones((7, 5, 3))
    product = "in a matrix product the last axis of the first meets the last but one of the second"
    vector = "a vector on the right meets the last axis of the matrix, one on the left its last but one"
    broadcast = "shapes are lined up at their right ends; two lengths fit if equal or if one of them is one"
    reduction = "the axis that is named disappears, unless keepdims keeps it with length one"
    truth = {
        "(5, 3) @ (3,)": (lambda: np.ones((5, 3)) @ np.ones(3), vector),  # (5, 3) @ (3,)
        "(3,) @ (5, 3)": (lambda: np.ones(3) @ np.ones((5, 3)), vector),  # (3,) @ (5, 3)
        "(7, 5, 3) @ (3, 2)": (lambda: seven @ np.ones((3, 2)), product),  # (7, 5, 3) @ (3, 2)
        "(4, 1) + (3,)": (lambda: np.ones((4, 1)) + np.ones(3), broadcast),
        "(2, 3) + (2,)": (lambda: np.ones((2, 3)) + np.ones(2), broadcast),
        "(10,) - (10, 1)": (lambda: np.ones(10) - np.ones((10, 1)), broadcast),
        "(7, 5, 3).mean(axis=1)": (lambda: seven.mean(axis=1), reduction),
        "(6, 4) - its mean(axis=1)": (lambda: six - six.mean(axis=1), reduction + "; then " + broadcast),
        "(6, 4) - its mean(axis=1, keepdims=True)": (
            lambda: six - six.mean(axis=1, keepdims=True),
            reduction,
        ),
        "einsum bij,bj->bi of (7, 5, 3) and (7, 3)": (
            lambda: np.einsum("bij,bj->bi", seven, np.ones((7, 3))),
            "the letters on the right of the arrow are the axes of the result",
        ),
    }
    given = answer()
    for expression, (compute, reason) in truth.items():
        try:
            right = compute().shape
        except ValueError:
            right = "error"
        said = given[expression]
        said = said if isinstance(said, str) else tuple(np.atleast_1d(said).tolist())
        assert said == right, f"{expression} is not {said}: {reason}"


# %% [markdown]
# ## 3 Puzzles without loops
#
# About half an hour. Three results, each in one line, without a loop and without `np.outer`, `np.cumsum`
# and `np.linalg.norm`. `np.tri(n)`, a table with ones on and below the diagonal, helps with one of them.
#
# - `outer`: all products of an entry of x (n,) and an entry of y (m,), shape (n, m).
# - `running sums`: entry $i$ is the sum of x up to and including its entry $i$, shape (n,).
# - `distances`: the distance of every point from every other, from points (p, 2), shape (p, p).


# %%
def puzzles(x, y, points):
    """The three results, by name, from x (n,), y (m,) and points (p, 2)."""
    return {"outer": ..., "running sums": ..., "distances": ...}


# %%
class Whole(np.ndarray):
    """An array that can only be used as a whole: it refuses to be walked through entry by entry."""

    def is_pair_of_columns(self):
        """Whether this is points.T, whose two rows, all the x and all the y, may be taken apart."""
        return self.ndim == 2 and len(self) == 2

    def __iter__(self):
        assert self.is_pair_of_columns(), "a loop walks through the entries here; use whole arrays"
        return super().__iter__()

    def __getitem__(self, index):
        if isinstance(index, int):
            assert self.is_pair_of_columns(), "single entries are picked, as in a loop; use whole arrays"
        return super().__getitem__(index)


@exercise
def check_puzzles(answer):
    rng = np.random.default_rng(23)
    x, y, points = rng.normal(size=4), rng.normal(size=3), rng.normal(size=(5, 2))
    given = answer(x.view(Whole), y.view(Whole), points.view(Whole))
    differences = np.array([[p - q for q in points] for p in points])  # (5, 5, 2)
    right = {
        "outer": np.array([[a * b for b in y] for a in x]),
        "running sums": np.array([sum(x[: i + 1]) for i in range(4)]),
        "distances": np.array([[np.sqrt(sum((p - q) ** 2)) for q in points] for p in points]),
    }
    slips = {
        "outer": [("it is transposed: the rows belong to x", right["outer"].T)],
        "running sums": [
            ("the triangle is the wrong way round: these sums run from entry i to the end",
             [sum(x[i:]) for i in range(4)]),
            ("that is a table; a product with x adds up its rows", np.tri(4) * x),
            ("the sums must include their own entry", [sum(x[:i]) for i in range(4)]),
            ("that is x itself", x),
        ],
        "distances": [
            ("these are the squares of the distances", (differences**2).sum(axis=-1)),
            ("the differences of the coordinates must be squared before they are added",
             np.abs(differences.sum(axis=-1))),
            ("that is the sum of the differences along both axes, not Pythagoras",
             np.abs(differences).sum(axis=-1)),
        ],
    }  # fmt: skip
    for name in right:
        try:
            compare(given[name], right[name], slips[name])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


# %% [markdown]
# ## 4 Five derivatives
#
# About half an hour. Find the derivatives by the rules of lesson 2.3 and write them with NumPy, for an
# array x. The check measures them.


# %%
def derivatives(x):
    """Function -> its derivative at x (n,), an array (n,)."""
    return {
        "x³ − 2x": ...,
        "x² exp(x)": ...,
        "log(1 + x²)": ...,
        "sin(3x) / x": ...,
        "tanh(x)²": ...,
    }


# %%
@exercise
def check_derivatives(answer):
    x = np.array([0.4, 0.9, 1.7, -1.2])
    functions = {
        "x³ − 2x": lambda x: x**3 - 2 * x,
        "x² exp(x)": lambda x: x**2 * np.exp(x),
        "log(1 + x²)": lambda x: np.log(1 + x**2),
        "sin(3x) / x": lambda x: np.sin(3 * x) / x,
        "tanh(x)²": lambda x: np.tanh(x) ** 2,
    }
    s, c, t = np.sin(3 * x), np.cos(3 * x), np.tanh(x)
    slips = {
        "x³ − 2x": [
            ("the derivative of 2x is 2, not 2x", 3 * x**2 - 2 * x),
            ("-2x has a slope, too", 3 * x**2),
        ],
        "x² exp(x)": [
            ("that is the product of the two derivatives; a product has two parts", 2 * x * np.exp(x)),
            ("only the part with the derivative of exp is there", x**2 * np.exp(x)),
        ],
        "log(1 + x²)": [
            ("the chain rule: the derivative of what is inside is missing", 1 / (1 + x**2)),
            ("the derivative of log u is 1/u, and u is all of 1 + x²", 2 / x),
            ("1/u goes with u', not with u'/u²", 2 * x / (1 + x**2) ** 2),
        ],
        "sin(3x) / x": [
            ("the derivative of sin(3x) has a factor from the chain rule", (x * c - s) / x**2),
            ("the numerator of the quotient rule is u'v − uv', in this order", (s - 3 * x * c) / x**2),
            ("that is the quotient of the two derivatives", 3 * c),
        ],
        "tanh(x)²": [
            ("the chain rule: the derivative of tanh is missing", 2 * t),
            ("that is the derivative of tanh; the outer square is missing", 1 - t**2),
            ("the derivative of tanh is 1 − tanh², with a minus", 2 * t * (1 + t**2)),
        ],
    }
    given = answer(x)
    for name, f in functions.items():
        measured = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
        try:
            compare(given[name], measured, slips[name])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


# %% [markdown]
# ## 5 A measured gradient that is broken
#
# About half an hour. The function below should measure the gradient of f at x by central differences. It
# raises no error on vectors of floats, but its slopes are wrong there, it fails on whole numbers and on
# tables, and it writes into the array that it was given. Write a version without these
# faults.


# %%
def broken_gradient(f, x, h=1e-5):
    slopes = np.zeros_like(x)
    for i in range(len(x)):
        x[i] = x[i] + h
        up = f(x)
        x[i] = x[i] - h
        down = f(x)
        slopes[i] = (up - down) / (2 * h)
    return slopes


# %%
def repaired_gradient(f, x, h=1e-5):
    """Gradient of f at x by central differences, floats of the shape of x; x: an array of any shape."""
    return ...


# %%
@exercise
def check_repaired_gradient(answer):
    def cubes(x):
        return np.sum(x**3)

    vector = np.array([0.5, -1.2, 2.0])
    h = 1e-5
    one_side = ((vector + h) ** 3 - vector**3) / h
    slips = [
        ("half of the slopes: how far apart are the two points?", one_side / 2),
        ("half of the slopes: how far apart are the two points?", 1.5 * vector**2),
        ("twice the slopes: how far apart are the two points?", 6 * vector**2),
        ("the slopes are measured on one side only: step back twice, or start anew", one_side),
    ]
    kept = vector.copy()
    compare(answer(cubes, vector), 3 * kept**2, slips)
    assert np.array_equal(vector, kept), "x is not as it was: work on a copy"
    assert np.asarray(answer(cubes, np.array([1, 2]))).dtype.kind == "f", "whole numbers give whole slopes"
    compare(answer(cubes, np.array([1, 2])), [3.0, 12.0], [("whole numbers hold no small step", [0, 0])])
    table = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])
    rows = np.repeat(3 * (table**2).sum(axis=1, keepdims=True), 3, axis=1)  # (2, 1) -> (2, 3)
    slips = [("in a table whole rows are moved at once: every entry needs a step of its own", rows)]
    compare(answer(cubes, table), 3 * table**2, slips)


# %% [markdown]
# ## 6 Descent that chooses its own rate
#
# About three quarters of an hour. Gradient descent with two rules. Stop as soon as the gradient is
# shorter than `tolerance`. Before each step look at the loss: if the step would not make it lower, halve
# the learning rate (for good) and try again. Return the point and the number of steps that were really
# taken. If `max_steps` steps do not suffice, raise ValueError.


# %%
def careful_descent(f, gradient, start, learning_rate, tolerance=1e-6, max_steps=10_000):
    """(point, n_steps): descent on f from `start` (n,), with a rate that is halved if f would not fall."""
    return ...


# %%
@exercise
def check_careful_descent(answer):
    visited = []
    calls = []

    def bowl(p):
        calls.append(p)
        assert len(calls) < 20_000, "a loop does not end: at the bottom no step makes f lower"
        return (p[0] ** 2 + 25 * p[1] ** 2) / 2

    def slope(p):
        visited.append(np.array(p))
        return np.array([p[0], 25 * p[1]])

    start = np.array([3.0, 1.0])
    point, n_steps = answer(bowl, slope, start, 0.05)
    assert start.tolist() == [3, 1], "the start was changed: work on a copy"
    assert np.linalg.norm([point[0], 25 * point[1]]) < 1e-6, "it stopped too early: the gradient is long"

    def steps_needed(flat, steep):  # by the factors along the two axes
        return next(k for k in range(1000) if np.hypot(3 * flat**k, 25 * steep**k) < 1e-6)

    expected = steps_needed(0.95, 0.25)
    assert n_steps >= expected, f"{n_steps} steps are counted where {expected} are needed: count every step"
    assert n_steps <= expected, (
        f"{n_steps} steps where {expected} suffice: look at the gradient before each step"
    )
    assert answer(bowl, slope, np.zeros(2), 0.05)[1] == 0, "at the bottom no step is needed"
    visited.clear()
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a walk that diverges overflows
            point, n_steps = answer(bowl, slope, start, 1.0)
    except ValueError:
        raise AssertionError(
            "a start with a rate of 1 must arrive, too: halve the rate if f would not fall"
        ) from None
    assert np.linalg.norm([point[0], 25 * point[1]]) < 1e-6, "from a rate of 1 it does not arrive"
    heights = [bowl(p) for p in visited]
    assert all(new <= old for old, new in zip(heights, heights[1:])), (
        "a step was taken that made the loss larger"
    )
    kept = steps_needed(1 - 1 / 16, 1 - 25 / 16)  # 1/16 is the first rate at which f falls
    assert n_steps == kept, (
        f"{n_steps} steps from a rate of 1, not {kept}: halve while f would not fall, and keep it"
    )
    try:
        answer(bowl, slope, start, 0.05, max_steps=expected)
    except ValueError:
        raise AssertionError(
            "max_steps steps suffice here: look at the gradient after the last one, too"
        ) from None
    try:
        answer(bowl, slope, start, 0.05, max_steps=5)
    except ValueError:
        return
    raise AssertionError("five steps do not suffice here, and ValueError should say so")


# %% [markdown]
# ## 7 The loss map of a line of your own
#
# About half an hour. Measure two things of twenty objects, say the length and the weight of books, and
# put them into `x` and `y` (the check brings its own). Compute the mean squared error of the line
# $w x + b$ for every $w$ in `ws` and every $b$ in `bs`, without a loop. In `heights` the rows belong to
# `bs` and the columns to `ws`, as `ax.contour(ws, bs, heights)` expects it.


# %%
def loss_map(x, y, ws, bs):
    """heights (len(bs), len(ws)): the mean squared error on x, y (n,) of each line."""
    return ...


# %%
@exercise
def check_loss_map(answer):
    rng = np.random.default_rng(27)
    x, ws, bs = rng.normal(size=6), np.linspace(-1, 2, 4), np.linspace(0, 3, 5)
    y = 2 * x + 1 + rng.normal(size=6)
    errors = np.array([[w * x + b - y for w in ws] for b in bs])  # (5, 4, 6)
    right = (errors**2).mean(axis=-1)
    slips = [
        ("rows and columns are exchanged: the rows belong to bs", right.T),
        ("that is a sum over the objects; the loss is a mean", (errors**2).sum(axis=-1)),
        ("the errors must be squared before the mean is taken", errors.mean(axis=-1) ** 2),
        ("that is the mean of absolute errors", np.abs(errors).mean(axis=-1)),
        ("the mean over the objects is missing", errors**2),
    ]
    got = answer(x.view(Whole), y.view(Whole), ws.view(Whole), bs.view(Whole))
    compare(got, right, slips)


# %% [markdown]
# ## 8 A walk on a budget
#
# About twenty minutes; design it on paper, then try it. A loss has the curvatures $1$ and $50$ along its
# two eigenvectors, and you start at a distance of $1$ from the bottom along both. Choose a learning rate
# and a number of steps, at most 120, so that both distances end below $0.01$.


# %%
def walk_on_a_budget():
    """The learning rate and the number of steps."""
    return {"learning rate": ..., "steps": ...}


# %%
@exercise
def check_walk_on_a_budget(answer):
    given = answer()
    rate, steps = given["learning rate"], given["steps"]
    assert steps == int(steps) and steps > 0, "the number of steps must be a whole number"
    assert steps <= 120, f"{steps} steps are more than the budget of 120"
    factors = 1 - rate * np.array([1.0, 50.0])
    left = np.abs(factors) ** steps
    assert np.abs(factors[1]) < 1, (
        f"it diverges: along the steep direction each step multiplies by {factors[1]:.2f}"
    )
    short = f"after {steps} steps {left[0]:.3f} is left along the flat and {left[1]:.3f} along the steep"
    assert left[1] < 0.01, f"{short} direction: the rate is too close to where the steep one diverges"
    assert left[0] < 0.01, f"{short} direction: the flat one needs a larger rate or more steps"


# %% [markdown]
# ## 9 An interval for a mean
#
# About half an hour. How far off may the mean of a sample be, if no formula is at hand? The _bootstrap_
# draws from the sample itself, with repeats, as many values as it has, takes their mean, and does so
# `n_draws` times. For a level of 0.95 the interval runs from the value below which 2.5 % of these means
# lie to the value above which 2.5 % lie. (`np.quantile` helps.) Draw with `rng`, the generator that is
# handed in.


# %%
def bootstrap_interval(values, level, n_draws, rng):
    """(low, high): the middle share `level` of the means of n_draws samples from values (n,)."""
    return ...


# %%
@exercise
def check_bootstrap_interval(answer):
    values = np.random.default_rng(29).normal(10.0, 2.0, size=200)
    low, high = answer(values, 0.95, 4000, np.random.default_rng(0))
    half = (high - low) / 2
    expected = 1.96 * values.std() / np.sqrt(200)
    assert half > 0.02 * expected, "all means are the same: draw with repeats"
    ratio = half / expected
    assert ratio < 10, "far too wide: the interval is about means of samples, not about single values"
    assert abs(ratio - 1.645 / 1.96) > 0.05, (
        "too narrow: of a level of 0.95 half of the rest lies on each side"
    )
    assert abs(ratio - np.sqrt(2)) > 0.1, "too wide: each sample must be as large as the original one"
    assert abs(ratio - 1) < 0.1, f"its half-width is {ratio:.2f} times what it should be"
    assert abs((low + high) / 2 - values.mean()) < 0.1 * expected, (
        "it is not centred on the mean of the sample"
    )
    narrow = answer(values, 0.5, 4000, np.random.default_rng(0))
    assert abs((narrow[1] - narrow[0]) / (high - low) - 0.6745 / 1.96) < 0.05, "the level is not used"
    again = answer(values, 0.95, 4000, np.random.default_rng(0))
    assert (low, high) == (again[0], again[1]), "the same rng gives another interval: draw with rng only"
    few = answer(values, 0.95, 10, np.random.default_rng(0))
    assert tuple(few) != (low, high), "n_draws is not used"


# %% [markdown]
# ## Where you are

# %%
print(summary())
