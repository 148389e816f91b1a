# %% [markdown]
# # 6 Exercises: write the backward pass
#
# Nine exercises, from a graph that you differentiate on paper to a tool that checks all the other
# answers. Each function returns `...` as it stands. Put your code in its place, run the cell, then run
# the cell after it. It answers "done", "not done yet", or what your numbers have in common with a
# well-known slip. Nothing stops the file, so take them in any order. At a terminal, `python exercises.py`
# shows how far you are.
#
# **You need** chapter 6, and nothing but NumPy. The answers, each with its reason, are in `solutions.py`.

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
# ## 1 A graph on paper
#
# About ten minutes, with pencil and paper. The graph is
#
# $$u = a \cdot b, \qquad v = u - a, \qquad L = u \cdot v .$$
#
# Draw it, with an arrow from each parent to each node that uses it, and write the local derivative on
# each arrow. Then fill in the numbers for $a = 2$ and $b = 3$: the values, the gradients $\partial L /
# \partial u$ and so on, and the number of paths that lead from $a$ to $L$.


# %%
def graph_by_hand():
    """Values, gradients of L, and the number of paths from a to L, at a = 2 and b = 3."""
    return {
        "u": ...,
        "v": ...,
        "L": ...,
        "grad_v": ...,
        "grad_u": ...,
        "grad_a": ...,
        "grad_b": ...,
        "paths": ...,
    }


# %%
def loss_of_graph(a, b, nudge_u=0.0, nudge_v=0.0):
    """L of the graph, if u or v comes out a little larger."""
    u = a * b + nudge_u
    v = u - a + nudge_v
    return u * v


def slope(f, h=1e-4):
    """Slope of f at zero, by a central difference (exact for a parabola)."""
    return (f(h) - f(-h)) / (2 * h)


@exercise
def check_graph_by_hand(answer):
    got = answer()
    a, b = 2.0, 3.0
    u, v = a * b, a * b - a
    compare(got["u"], u, [("u is a product, not a sum", a + b)])
    compare(got["v"], v, [("v takes a away from u, it does not add it", u + a)])
    compare(got["L"], loss_of_graph(a, b), [("L is the product of u and v", u + v)])
    compare(
        got["grad_v"],
        slope(lambda h: loss_of_graph(a, b, nudge_v=h)),
        [("along v the slope of u · v is the other factor", v), ("the slope of u · v along v is not one", 1)],
    )
    slips = [
        ("u is used twice: the path through v is missing", v),
        ("u is used twice: only the path through v is there", u),
        ("the two paths from u are multiplied; over paths one adds", u * v),
    ]
    compare(got["grad_u"], slope(lambda h: loss_of_graph(a, b, nudge_u=h)), slips)
    slips = [
        ("a is used twice: its direct use in v is missing", b * (u + v)),
        ("a is used twice: its use in u is missing", -u),
        ("the slope of v = u - a along a is minus one", b * (u + v) + u),
        ("u's own gradient must have both of its paths before it is passed on to a", b * v - u),
    ]
    compare(got["grad_a"], slope(lambda h: loss_of_graph(a + h, b)), slips)
    slips = [
        ("the slope of a · b along b is a, not b", b * (u + v)),
        ("u's own gradient must have both of its paths before it is passed on to b", a * v),
        ("that is the gradient of u; it still has to be multiplied by the slope of u along b", u + v),
    ]
    compare(got["grad_b"], slope(lambda h: loss_of_graph(a, b + h)), slips)
    slips = [
        ("that is the number of arrows", 6),
        ("a path may go from a to v without u", 2),
        ("count the ways from a to L: through u and straight to L, through u and v, and without u", 1),
    ]
    compare(got["paths"], 3, slips)


# %% [markdown]
# ## 2 The gradient along every path
#
# About twenty minutes. A computation is written down as a list of its nodes, each after its parents, with
# the slope along each of them. For $f = ab + a$ at $a = 2$, $b = -3$ it is
#
# `[("a", []), ("b", []), ("ab", [("a", -3.0), ("b", 2.0)]), ("f", [("ab", 1.0), ("a", 1.0)])]`
#
# Return the derivative of the last node along every node. Multiply along a path, add over paths, and
# visit no node twice, because a ladder of thirty rungs has a thousand million paths.


# %%
def path_gradients(graph):
    """{name: d last / d name} for graph [(name, [(name of a parent, slope along it), ...]), ...]."""
    return ...


# %%
class Counted(float):
    """A number that counts how often it is multiplied."""

    products = 0

    def __rmul__(self, other):
        Counted.products += 1
        return float(other) * float(self)

    __mul__ = __rmul__


@exercise
def check_path_gradients(answer):
    paper = [("a", []), ("b", []), ("ab", [("a", -3.0), ("b", 2.0)]), ("f", [("ab", 1.0), ("a", 1.0)])]
    grads = answer(paper)
    assert set(grads) == {"a", "b", "ab", "f"}, "every node needs a gradient, the last and the leaves too"
    assert grads["f"] == 1.0, "the derivative of the last node along itself is one; the walk starts there"
    assert grads["a"] != 1.0, "a is used twice, and only its use in f counts: add, do not overwrite"
    assert grads["a"] != -3.0, "a is used twice, and only its use in ab counts: add, do not overwrite"
    assert grads == {"a": -2.0, "b": 2.0, "ab": 1.0, "f": 1.0}, f"for f = ab + a you have {grads}"
    chain = [("x", []), ("y", [("x", 2.0)]), ("z", [("y", 5.0)]), ("w", [("z", 7.0)])]
    assert answer(chain)["x"] == 70.0, "slopes along a chain multiply: go from the last node to the first"
    rungs = 12
    ladder = [("0", [])] + [(str(i + 1), [(str(i), Counted(1.0))] * 2) for i in range(rungs)]
    Counted.products = 0
    assert answer(ladder)["0"] == 2.0**rungs, "if a node uses a parent twice, both uses count"
    assert Counted.products <= 4 * rungs, (
        f"right, with {Counted.products} products where {2 * rungs} are enough: you walk each path by itself"
    )


# %% [markdown]
# ## 3 Two new nodes for micrograd
#
# About thirty minutes. Here is the core of lesson 6.3's `Value`. For a list of scores, return two lists
# of new nodes: the hyperbolic tangent of each score, and the softmax of all scores. Each is one `Value`
# with its parents and its slope along each of them. Build them directly, without using `+` and `*` on
# Values. Scores may be as large as a thousand.


# %%
class Value:
    """A number with the nodes it was made from and its slope along each of them (6.3)."""

    def __init__(self, data, _children=(), _op="", _slopes=()):
        self.data = data
        self.grad = 0.0
        self._prev = tuple(_children)
        self._op = _op
        self._slopes = tuple(_slopes)

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), "+", (1.0, 1.0))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), "*", (other.data, self.data))

    def backward(self):
        order = []
        seen = set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for parent in node._prev:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for parent, slope in zip(node._prev, node._slopes, strict=True):
                parent.grad += node.grad * slope


def tanh_and_softmax(scores):
    """([tanh of each score], [softmax of the scores]): two lists of Values, one node for each entry."""
    return ..., ...


# %%
def weighted(nodes, weights):
    """The sum of node times weight, as a Value."""
    total = Value(0.0)
    for node, weight in zip(nodes, weights, strict=True):
        total = total + node * Value(weight)
    return total


@exercise
def check_tanh_and_softmax(answer):
    numbers, weights = [0.5, -1.0, 2.0], [1.0, -2.0, 0.7]
    x, w = np.array(numbers), np.array(weights)
    t, p = np.tanh(x), np.exp(x) / np.exp(x).sum()
    grads = []
    for which in (0, 1):
        scores = [Value(number) for number in numbers]
        nodes = answer(scores)[which]
        assert all(isinstance(node, Value) for node in nodes), (
            "return Values that know their parents, not numbers"
        )
        assert len(nodes) == 3, f"for three scores there must be three nodes, not {len(nodes)}"
        compare([node.data for node in nodes], (t, p)[which])
        for node in nodes:
            assert len(node._prev) == len(node._slopes), "a node needs one slope for each of its parents"
            assert all(any(parent is score for score in scores) for parent in node._prev), (
                "the parents must be the scores themselves: make one node, not several"
            )
        weighted(nodes, weights).backward()
        grads.append([score.grad for score in scores])
    slips = [
        ("tanh: the slope is missing", w),
        ("tanh: the slope is 1 - tanh², from the output; you have taken the input", w * (1 - x * x)),
        ("tanh: the slope is 1 - tanh², with the square", w * (1 - t)),
    ]
    compare(grads[0], w * (1 - t * t), slips)
    slips = [
        ("softmax: each score also moves the other probabilities, through the sum", w * p * (1 - p)),
        ("softmax: the sum is treated as a constant, but every score moves it", w * p),
        ("softmax: a probability's slope along its own score is p(1 - p): the 1 is missing", -p * (w @ p)),
        ("softmax: the sign is the wrong way round", -p * (w - w @ p)),
    ]
    compare(grads[1], p * (w - w @ p), slips)
    try:
        far = answer([Value(1000.0), Value(0.0), Value(-1000.0)])
    except OverflowError:
        raise AssertionError("exp overflows at 1000: take the largest score away first") from None
    compare([node.data for node in far[1]], [1, 0, 0])
    compare([node.data for node in far[0]], [1, 0, -1])


# %% [markdown]
# ## 4 Two paths through one curve
#
# About fifteen minutes. Swish, also called SiLU, is $y = x\,\sigma(x)$ with $\sigma(x) = 1 / (1 +
# e^{-x})$. So $x$ takes two paths to $y$. Given $\partial L / \partial y$, return $\partial L / \partial
# x$. The inputs may be as large as a thousand, of either sign, and no warning may come.


# %%
def swish_backward(x, grad_y):
    """dL/dx (n,) for y = x * sigmoid(x), from x (n,) and dL/dy (n,)."""
    return ...


# %%
@exercise
def check_swish_backward(answer):
    x = np.array([-2.0, -0.5, 0.0, 1.0, 3.0])
    grad = np.array([1.0, -2.0, 3.0, 0.5, 2.0])
    s = 1 / (1 + np.exp(-x))
    slips = [
        ("that is the slope alone: dL/dy has to be multiplied in", s + x * s * (1 - s)),
        ("only the path through x itself is there: x also moves the sigmoid", grad * s),
        ("only the path through the sigmoid is there: x is also a factor itself", grad * x * s * (1 - s)),
        ("the two paths are multiplied; over paths one adds", grad * s * x * s * (1 - s)),
        ("the slope of the sigmoid is s(1 - s), not s", grad * (s + x * s)),
    ]
    compare(answer(x, grad), grad * (s + x * s * (1 - s)), slips)
    far = np.array([-1000.0, 1000.0])
    with np.errstate(over="raise", invalid="raise"):
        try:
            got = answer(far, np.ones(2))
        except FloatingPointError:
            raise AssertionError("exp overflows at -1000: give it minus the absolute value only") from None
    compare(got, [0.0, 1.0])


# %% [markdown]
# ## 5 The gradient that everybody uses
#
# About fifteen minutes. There are scores `logits` (B, C) and right answers `labels` (B,), and the loss is
# the _mean_ cross-entropy. Return its gradient with respect to the scores, which may be in the thousands.


# %%
def cross_entropy_backward(logits, labels):
    """d(mean cross-entropy)/d(logits): (B, C) from logits (B, C) and labels (B,)."""
    return ...


# %%
@exercise
def check_cross_entropy_backward(answer):
    logits = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [2.0, 2.0, 1.0], [-1.0, 0.3, 0.2]])  # (4, 3)
    labels = np.array([1, 2, 0, 0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    down = np.exp(logits) / np.exp(logits).sum(axis=0)
    hot = np.eye(3)[labels]
    slips = [
        ("four times too large for four rows: the loss is a mean", p - hot),
        ("divided by rows times classes: the mean is over rows only", (p - hot) / 12),
        ("the sign is the wrong way round: a step against this would raise the loss", (hot - p) / 4),
        ("those are the probabilities: the right answer's one is not yet taken away", p / 4),
        ("only the right answers have a gradient here; every wrong score must be pushed down", -hot / 4),
        ("softmax ran down the columns: it belongs to the classes of one row", (down - hot) / 4),
    ]
    given = logits.copy()
    compare(answer(given, labels), (p - hot) / 4, slips)
    assert (given == logits).all(), "your function changed the scores that it was given: work on a copy"
    with np.errstate(all="ignore"):
        got = answer(np.array([[3000.0, 0.0], [0.0, -3000.0]]), np.array([0, 1]))
    assert np.isfinite(got).all(), "scores in the thousands give nan: take each row's largest away first"
    compare(got, [[0.0, 0.0], [0.5, -0.5]])


# %% [markdown]
# ## 6 Back through a linear layer
#
# About ten minutes. $Y = XW^\top + b$, as in PyTorch, with `x` (B, n), `w` (m, n) and `b` (m,). Return
# the three gradients. The shapes leave you little choice, but they do not tell what is summed over.


# %%
def linear_backward(x, w, grad_y):
    """(dL/dx (B, n), dL/dw (m, n), dL/db (m,)) for y = x @ w.T + b, from dL/dy (B, m)."""
    return ..., ..., ...


# %%
@exercise
def check_linear_backward(answer):
    rng = np.random.default_rng(64)
    x, w, grad = rng.normal(size=(5, 3)), rng.normal(size=(3, 3)), rng.normal(size=(5, 3))  # m = n: no luck
    got_x, got_w, got_b = answer(x, w, grad)
    compare(got_x, grad @ w, [("dL/dx: w is the wrong way round (a square one hides it)", grad @ w.T)])
    slips = [
        ("dL/dw: it is transposed (a square one hides it)", x.T @ grad),
        ("dL/dw: a mean over the rows; the loss has taken its mean already", grad.T @ x / 5),
    ]
    compare(got_w, grad.T @ x, slips)
    slips = [
        ("dL/db: one row for each example: all of them share b, so their gradients add up", grad),
        ("dL/db: a mean over the rows; the loss has taken its mean already", grad.mean(axis=0)),
        ("dL/db: summed over the outputs: each output has its own bias", grad.sum(axis=1)),
    ]
    compare(got_b, grad.sum(axis=0), slips)


# %% [markdown]
# ## 7 Repair the un-broadcasting
#
# About fifteen minutes. NumPy broadcast an array of shape `shape` to the shape of `grad`. The gradients
# of all the copies belong to the original. A colleague wrote this:
#
# ```python
# grad = grad.mean(axis=tuple(range(grad.ndim - len(shape))))
# for i, size in enumerate(shape):
#     if size == 1:
#         grad = grad.sum(axis=i)
# return grad
# ```
#
# It has two faults, and it ran through on the examples that the colleague tried. Write it so that it is
# right.


# %%
def unbroadcast(grad, shape):
    """Sum grad over all that broadcasting added, so that the result has the given shape."""
    return ...


# %%
@exercise
def check_unbroadcast(answer):
    grad = np.arange(24.0).reshape(2, 3, 4)
    slips = [("nothing was broadcast here, so nothing may be summed", grad.sum())]
    compare(answer(grad, (2, 3, 4)), grad, slips)
    slips = [("that is a mean: every copy was used, so they add", grad.mean(axis=(0, 1)))]
    compare(answer(grad, (4,)), grad.sum(axis=(0, 1)), slips)
    kept = grad.sum(axis=1, keepdims=True)  # (2, 1, 4)
    slips = [
        ("axes of length one were broadcast too: sum over them, and keep them", grad),
        ("the axis of length one is gone: keepdims keeps it", kept[:, 0]),
    ]
    compare(answer(grad, (2, 1, 4)), kept, slips)
    slips = [
        ("the added axis in front is summed, the broadcast one of length one is not", grad.sum(axis=0)),
        ("the axis of length one is gone: keepdims keeps it", grad.sum(axis=(0, 2))),
    ]
    compare(answer(grad, (3, 1)), grad.sum(axis=0).sum(axis=1, keepdims=True), slips)
    compare(answer(grad, ()), 276.0, [("a plain number was used 24 times", grad), ("that is a mean", 11.5)])
    slips = [("an axis that had length one before the broadcast stays", [[3.0]])]
    compare(answer(np.ones((1, 3)), (1, 3)), np.ones((1, 3)), slips)


# %% [markdown]
# ## 8 A norm, with nothing forgotten
#
# About forty minutes. RMS norm, which many language models use, divides each row by its root mean square,
# $r = \sqrt{\frac1n \sum_j x_j^2 + \varepsilon}$ and $y_i = g_i x_i / r$. Every $x_j$ moves $r$, and $r$
# moves every $y_i$. Return the gradients of $x$ and of the gain $g$.


# %%
def rms_norm_backward(x, gain, grad_y, eps=1e-5):
    """(dL/dx (B, n), dL/dgain (n,)) for y = gain * x / sqrt(mean(x ** 2) + eps) row by row, dL/dy (B, n)."""
    return ..., ...


# %%
@exercise
def check_rms_norm_backward(answer):
    rng = np.random.default_rng(66)
    x, gain, grad = rng.normal(size=(4, 5)), rng.normal(size=5), rng.normal(size=(4, 5))
    x[3] *= 1e-3  # a row so small that eps matters
    n, eps = x.shape[1], 1e-5
    r = np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)  # (4, 1)
    g, h = grad * gain, x / r
    along = (g * h).mean(axis=1, keepdims=True)  # (4, 1)
    bare = np.sqrt((x**2).mean(axis=1, keepdims=True))
    bare_along = (g * x / bare).mean(axis=1, keepdims=True)
    got_x, got_gain = answer(x, gain, grad)
    slips = [
        ("dL/dgain has a row for each example: they all share the gain, so sum", grad * h),
        ("dL/dgain takes x before it was divided by r", (grad * x).sum(axis=0)),
    ]
    compare(got_gain, (grad * h).sum(axis=0), slips)
    slips = [
        ("r is treated as a constant, but every x moves it", g / r),
        ("the part through r has a sum where the derivative of a mean gives 1/n", (g - n * h * along) / r),
        ("the part through r has the wrong sign", (g + h * along) / r),
        ("the gain is missing", (grad - h * (grad * h).mean(axis=1, keepdims=True)) / r),
        ("each x moves its own y only: the sum over the row's outputs is missing", (g - g * h * h / n) / r),
        ("eps is missing: look at the row of small numbers", (g - x / bare * bare_along) / bare),
    ]
    compare(got_x, (g - h * along) / r, slips)


# %% [markdown]
# ## 9 A tool that checks gradients
#
# About thirty minutes. Design the tool that finds all of the slips above. `f` maps an array to a number,
# and `gradient` claims to be its gradient at `x`. Move every entry a little up and a little down, and
# return the largest _relative_ error
#
# $$\frac{|a - b|}{\max(|a| + |b|,\ 10^{-12})}$$
#
# between the claim $a$ and the measurement $b$. It is judged by its verdicts. It must stay below
# $10^{-6}$ for gradients that are right and come out above $10^{-3}$ for wrong ones, whether they are
# large or small.


# %%
def gradient_error(f, gradient, x):
    """Largest relative error of gradient (like x) against central differences of f at x, over all entries."""
    return ...


# %%
@exercise
def check_gradient_error(answer):
    x = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])
    cube = 3 * x**2
    last = cube.copy()
    last[-1, -1] *= 1.01
    before = x.copy()
    error = answer(lambda x: (x**3).sum(), cube, x)
    assert (x == before).all(), "x is not as it was: put every entry back after its move"
    assert not np.isnan(error), "nan: is something divided by zero?"
    assert error < 1e-6, (
        f"x ** 3 with its right gradient comes out at {error:.1e}: move both ways, by about 1e-5"
    )
    error = answer(lambda x: (x**3).sum(), last, x)
    assert error > 1e-3, "a last entry that is wrong by 1% goes unnoticed: try all entries"
    error = answer(lambda x: 1e6 * (x**2).sum(), 2e6 * x, x)
    assert error < 1e-6, f"a right gradient in the millions comes out at {error:.1e}: make the error relative"
    error = answer(lambda x: 1e-6 * (x**2).sum(), 3e-6 * x, x)
    assert error > 1e-3, f"a small gradient, wrong by half, comes out at {error:.1e}: make the error relative"
    error = answer(lambda x: x[0, 0] ** 2, np.array([[1.0, 0, 0], [0, 0, 0]]), x)
    assert not np.isnan(error), "nan: an entry that f does not use gives 0 / 0"
    assert error < 1e-6, f"entries that f does not use count as errors ({error:.1e}): mind 0 / 0"
    assert answer(lambda x: (x**3).sum(), -cube, x) > 1e-3, "a gradient of the wrong sign goes unnoticed"


# %% [markdown]
# ## How far you are

# %%
print(summary())
