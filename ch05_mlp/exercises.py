# %% [markdown]
# # 5 Exercises: from one neuron to a trained network
#
# Nine exercises on neurons, activations, shapes, losses and a network of your own. Each answer is a
# function that returns `...` as it stands. Put your code there, run the cell, then run the cell after it.
# It answers _done_, _not done yet_, or what your result has in common with a well-known slip. Nothing
# stops, so you can take them in any order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 5, and NumPy. Answers, each with its reason, are in `solutions.py`.

# %%
import csv
import traceback
from pathlib import Path

import numpy as np

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
# ## 1 A neuron with labels 0 and 1
#
# About 20 minutes. Write Rosenblatt's rule once more, in the form of most textbooks: the labels are $0$
# and $1$, the bias is a number of its own, and the neuron answers $1$ if $w \cdot x + b > 0$, else $0$.
# Start with zeros, go through the examples in order, again and again, and after each example let $w
# \leftarrow w + (\text{label} - \text{answer})\, x$ and $b \leftarrow b + (\text{label} - \text{answer})$.
# Stop after the first pass without a mistake, or after `n_epochs` passes. It is judged on chinstrap and
# gentoo penguins.


# %%
def zero_one_perceptron(x, labels, n_epochs):
    """(weight (D,), bias, mistakes in the last pass); x: (n, D), labels: (n,) of 0 and 1."""
    return ...


# %%
with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    rows = [row for row in csv.DictReader(file) if row["species"] in ("Chinstrap", "Gentoo")]
rows = [row for row in rows if row["bill_length_mm"] != "NA"]
BILLS = np.array([[float(row["bill_length_mm"]), float(row["bill_depth_mm"])] for row in rows])  # (n, 2)
BILLS = BILLS - BILLS.mean(axis=0)
IS_GENTOO = np.array([int(row["species"] == "Gentoo") for row in rows])  # (n,)


def rule(x, labels, n_epochs, step=lambda label, answer: label - answer, with_bias=True, zero_is_yes=False):
    """The rule of exercise 1, and its slips: weight and bias in one array."""
    weight = np.zeros(x.shape[1])
    bias = 0.0
    for _ in range(n_epochs):
        mistakes = 0
        for features, label in zip(x, labels):
            score = weight @ features + bias  # (D,) @ (D,) -> ()
            answer = int(score > 0 or (zero_is_yes and score == 0))
            mistakes += answer != label
            weight = weight + step(label, answer) * features
            bias = bias + with_bias * step(label, answer)
        if mistakes == 0:
            break
    return np.array([*weight, bias])


@exercise
def check_zero_one_perceptron(answer):
    x, labels = BILLS[::7], IS_GENTOO[::7]
    given = x.copy()
    weight, bias, mistakes = answer(given, labels, 1)
    assert np.shape(weight) == (2,), f"the weight has shape {np.shape(weight)}, and should be (2,)"
    assert np.ndim(bias) == 0, "the bias should be a single number"
    slips = [
        ("the sign is turned round: use label - answer", rule(x, labels, 1, lambda t, a: a - t)),
        (
            "examples with the label 0 change nothing: use label - answer, not the label",
            rule(x, labels, 1, lambda t, a: t * (a != t)),
        ),
        (
            "right answers change the weights, too: with label - answer they do not",
            rule(x, labels, 1, lambda t, a: 2 * t - 1),
        ),
        (
            "the bias never changes: it is updated like a weight whose input is 1",
            rule(x, labels, 1, with_bias=False),
        ),
        ("a score of exactly zero is answered with 0", rule(x, labels, 1, zero_is_yes=True)),
    ]
    compare(np.array([*weight, bias]), rule(x, labels, 1), slips)
    assert np.array_equal(given, x), "your function changed the examples that it was given"
    _, _, mistakes = answer(np.array([[1.0], [2.0], [-1.0]]), np.array([1, 1, 0]), 1)
    assert mistakes == 1, f"only the first of these three is a mistake in the first pass, you have {mistakes}"
    weight, bias, mistakes = answer(np.array([[1.0], [2.0], [-1.0]]), np.array([1, 1, 0]), 50)
    assert mistakes == 0, f"one line separates these three, but your last pass has {mistakes} mistakes"
    compare(np.array([*weight, bias]), rule(np.array([[1.0], [2.0], [-1.0]]), np.array([1, 1, 0]), 50))
    weight, bias, mistakes = answer(BILLS, IS_GENTOO, 30)
    compare(np.array([*weight, bias]), rule(BILLS, IS_GENTOO, 30))


# %% [markdown]
# ## 2 Softplus, stable
#
# About 15 minutes. *Softplus*, $\ln(1 + e^x)$, is another smooth ReLU. Return its values and its slopes.
# Inputs may be as large as ten thousand, of either sign, no warning may come, and float32 in gives float32
# out.


# %%
def softplus(x):
    """ln(1 + e^x) and its slope, two arrays like x (n,)."""
    return ..., ...


# %%
@exercise
def check_softplus(answer):
    x = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])
    value, slope = answer(x)
    s = 1 / (1 + np.exp(-x))
    right = np.log(1 + np.exp(x))
    value_slips = [
        ("that is ln(e^x), which is x itself: the 1 is missing", x),
        ("that is ReLU", np.maximum(x, 0)),
    ]
    compare(value, right, value_slips)
    slips = [
        ("that is the value, not the slope", right),
        ("the slope of ln u is 1/u times the slope of u: the factor e^x is missing", 1 / (1 + np.exp(x))),
        ("1/u is missing: the slope of ln u is 1/u times the slope of u", np.exp(x)),
        ("that is the slope of the sigmoid; softplus's slope is the sigmoid itself", s * (1 - s)),
        ("that is the slope of ReLU", (x > 0).astype(float)),
    ]
    compare(slope, s, slips)
    far = np.array([-1e4, 1e4])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        try:
            value, slope = answer(far)
        except FloatingPointError as error:
            raise AssertionError(f"at ten thousand: {error}; let exp see -|x| only") from None
    compare(value, [0.0, 1e4])
    compare(slope, [0.0, 1.0])
    value, slope = answer(np.array([-40.0]))
    assert value[0] > 0, "at -40 the value is rounded to zero: ln(1 + u) for a tiny u needs log1p"
    for part in answer(np.ones(3, dtype=np.float32)):
        assert np.asarray(part).dtype == np.float32, f"float32 in, {np.asarray(part).dtype} out"


# %% [markdown]
# ## 3 Repair: the logarithm of a mean
#
# About 20 minutes. Several networks give log probabilities for the same class, and we want the logarithm
# of their mean probability, $\ln \frac1K \sum_k e^{x_k}$, along the last axis. A colleague sends this:
#
# ```python
# def log_mean_exp(x):
#     largest = x.max()
#     exps = np.exp(x - largest)
#     return largest + np.log(exps.sum(axis=-1))
# ```
#
# It has three faults. Two of them give wrong numbers, one in every row and the other in some rows only.
# The third shows up where a log probability is $-\infty$: if all of a row are, the answer is $-\infty$,
# and no warning should come. Write the repaired function.


# %%
def log_mean_exp(x):
    """ln of the mean of e^x along the last axis, (…, K) -> (…,); all -inf gives -inf, without a warning."""
    return ...


# %%
@exercise
def check_log_mean_exp(answer):
    x = np.log(np.array([[0.2, 0.4, 0.9], [0.5, 0.1, 0.3]]))  # (2, 3)
    right = np.log(np.exp(x).mean(axis=1))
    slips = [
        ("that is the logarithm of the sum: divide by K, or subtract ln K", np.log(np.exp(x).sum(axis=1))),
        ("that is the mean of the logarithms, which is smaller", x.mean(axis=1)),
        ("that is the mean, and its logarithm is missing", np.exp(x).mean(axis=1)),
        ("the mean runs over the first axis; the last one is asked", np.log(np.exp(x).mean(axis=0))),
        ("the mean runs over everything; only the last axis is asked", np.log(np.exp(x).mean())),
    ]
    compare(answer(x), right, slips)
    compare(answer(x.reshape(2, 1, 3)), right.reshape(2, 1))
    with np.errstate(all="ignore"):
        low = answer(np.array([[-2000.0, -2000.0 + np.log(3)]]))
        mixed = answer(np.array([[-2000.0, -2000.0], [0.0, 0.0]]))
    assert np.isfinite(low).all(), "at -2000 every exponential is zero: take the largest out first"
    compare(low, [-2000 + np.log(2)])
    assert np.isfinite(mixed).all(), "a row at -2000 beside one at 0 fails: each row needs its own largest"
    compare(mixed, [-2000.0, 0.0])
    with np.errstate(all="ignore"):
        high = answer(np.array([[2000.0, 2000.0]]))
    assert np.isfinite(high).all(), "at 2000 the exponential overflows: take each row's largest out first"
    compare(high, [2000.0])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        try:
            none = answer(np.array([[-np.inf, -np.inf], [0.0, -np.inf]]))
        except FloatingPointError as error:
            raise AssertionError(f"rows with -inf: {error}; what is -inf minus -inf, or ln 0?") from None
    assert none[0] == -np.inf, f"all -inf should give -inf, you have {none[0]}"
    compare(none[1], np.log(0.5))


# %% [markdown]
# ## 4 Shapes and sizes on paper
#
# About 10 minutes. A network has 100 inputs, a hidden layer of 60 neurons, another of 20, and 5 outputs,
# each layer with biases. A batch of 16 examples goes forward. Weights are $(n_\text{out}, n_\text{in})$.
# Fill in what you find without running a network: shapes as tuples, the rest as whole numbers.


# %%
def shapes_and_sizes():
    """Each entry of the table on paper."""
    return {
        "shape of the second weight matrix": ...,
        "shape of the first hidden output of the batch": ...,
        "shape of the gradient of the last weight matrix": ...,
        "parameters of the whole network": ...,
        "operations of one example's forward pass": ...,
        "parameters if all three layers were linear and merged into one": ...,
    }


# %%
def decide(answers, right, reasons):
    """Compare a dictionary of answers with the right ones; a wrong one is told by its reason."""
    assert isinstance(answers, dict) and set(answers) == set(right), (
        "keep the keys of the dictionary as they are"
    )
    for key, value in right.items():
        got = tuple(answers[key]) if isinstance(answers[key], list) else answers[key]
        if got != value:
            reason = reasons.get((key, got), reasons.get(key, "think again"))
            raise AssertionError(f"{key}: {got!r} is not right; {reason}")


@exercise
def check_shapes_and_sizes(answer):
    right = {
        "shape of the second weight matrix": (20, 60),
        "shape of the first hidden output of the batch": (16, 60),
        "shape of the gradient of the last weight matrix": (5, 20),
        "parameters of the whole network": 60 * 101 + 20 * 61 + 5 * 21,
        "operations of one example's forward pass": 2 * (60 * 100 + 20 * 60 + 5 * 20),
        "parameters if all three layers were linear and merged into one": 5 * 101,
    }
    second, hidden, grad, size, work, merged = right
    reasons = {
        second: "one row for each of its neurons, one column for each of its inputs",
        (second, (60, 20)): "that is its transpose: rows are neurons (outputs), columns are inputs",
        (second, (60, 100)): "that is the first weight matrix",
        hidden: "one row for each example, one column for each neuron",
        (hidden, (60, 16)): "rows are examples, so the batch comes first",
        (hidden, (60,)): "that is one example's output; there are 16 of them",
        grad: "a gradient has the shape of what it belongs to",
        (grad, (16, 5, 20)): "the examples' gradients are added up, since all use the same weights",
        (grad, (16, 5)): "that is the gradient at the logits; a weight's gradient has the weight's shape",
        size: "each layer has n_out · (n_in + 1)",
        (size, 60 * 100 + 20 * 60 + 5 * 20): "those are the weights; the biases are missing",
        work: "one multiplication and one addition for each weight",
        (work, 60 * 100 + 20 * 60 + 5 * 20): "each weight takes an addition, too",
        (
            work,
            2 * (60 * 101 + 20 * 61 + 5 * 21),
        ): "a sum of n products and a bias has n additions, not n + 1",
        (work, 16 * 2 * (60 * 100 + 20 * 60 + 5 * 20)): "that is the whole batch; one example is asked",
        merged: "100 inputs, 5 outputs, one weight matrix and one bias",
        (merged, 500): "the merged bias is missing",
    }
    decide(answer(), right, reasons)


# %% [markdown]
# ## 5 Cross-entropy with class weights
#
# About 30 minutes. One class is rare, and its examples should count more. With a weight $c_k$ for each
# class the loss is a weighted mean over the batch,
#
# $$L = \frac{\sum_b c_{y_b}\, (-\ln p_{b y_b})}{\sum_b c_{y_b}} .$$
#
# Return it and its gradient at the logits. Logits may be in the thousands.


# %%
def weighted_cross_entropy(logits, labels, class_weights):
    """Loss and gradient (B, K) from logits (B, K), labels (B,) and class_weights (K,)."""
    return ..., ...


# %%
@exercise
def check_weighted_cross_entropy(answer):
    logits = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [2.0, 2.0, 1.0], [-1.0, 0.3, 0.2]])  # (4, 3)
    labels = np.array([1, 2, 0, 0])
    class_weights = np.array([1.0, 2.0, 5.0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = np.exp(logits) / np.exp(logits).sum(axis=0)
    hot = np.eye(3)[labels]
    c = class_weights[labels]  # (4,)
    nll = -np.log(p[np.arange(4), labels])
    given = logits.copy()
    loss, grad = answer(given, labels, class_weights)
    loss_slips = [
        ("the weights are missing", nll.mean()),
        ("divided by the number of examples, not by the sum of their weights", (c * nll).mean()),
        ("that is a sum; the loss is a weighted mean", (c * nll).sum()),
        ("the sign is turned round: a loss is minus the logarithm", -(c * nll).sum() / c.sum()),
        (
            "divided by the sum of the class weights; the examples' weights are asked",
            (c * nll).sum() / class_weights.sum(),
        ),
        (
            "softmax ran down the columns: it belongs to the classes of one row",
            -(c * np.log(columns[np.arange(4), labels])).sum() / c.sum(),
        ),
    ]
    compare(loss, (c * nll).sum() / c.sum(), [("loss: " + what, value) for what, value in loss_slips])
    grad_slips = [
        ("the weights are missing", (p - hot) / 4),
        ("divided by the number of examples, not by the sum of their weights", c[:, None] * (p - hot) / 4),
        ("not divided by the sum of the weights", c[:, None] * (p - hot)),
        (
            "the sign is turned round: a step against it would raise the loss",
            c[:, None] * (hot - p) / c.sum(),
        ),
        ("those are the probabilities: the true class still needs its minus one", c[:, None] * p / c.sum()),
        ("the weight is the example's class's, not the column's", class_weights * (p - hot) / c.sum()),
    ]
    compare(
        grad, c[:, None] * (p - hot) / c.sum(), [("gradient: " + what, value) for what, value in grad_slips]
    )
    assert np.array_equal(given, logits), "your function changed the logits that it was given"
    with np.errstate(all="ignore"):
        loss, grad = answer(np.array([[3000.0, 0.0], [0.0, -3000.0]]), np.array([0, 1]), np.ones(2))
    finite = np.isfinite(loss) and np.isfinite(grad).all()
    assert finite, "logits in the thousands are too much: take each row's largest out first"
    compare(loss, 1500.0)
    compare(grad, [[0.0, 0.0], [0.5, -0.5]])


# %% [markdown]
# ## 6 A network of your own
#
# About an hour. Write and train a network with one hidden layer of `tanh` units (40 at most) that reads
# digits, in NumPy alone: its forward pass, its backward pass, and SGD. Return its four arrays. They are
# judged on 597 digits that your function has not seen, by the forward pass `tanh(x @ w1.T + b1) @ w2.T +
# b2`. At least 93 percent must be right. Check your gradients before you train: the slope of tanh is $1 -
# h^2$.


# %%
def train_tanh_network(x, y, rng):
    """(w1 (H, 64), b1 (H,), w2 (10, H), b2 (10,)) from x (1200, 64), y (1200,) of 0 to 9; H at most 40."""
    return ..., ..., ..., ...


# %%
DIGITS = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65)
SHUFFLED = np.random.default_rng(5).permutation(len(DIGITS))
PIXELS = DIGITS[SHUFFLED, :64] / 16  # (1797, 64)
CLASSES = DIGITS[SHUFFLED, 64].astype(np.int64)  # (1797,)


@exercise
def check_train_tanh_network(answer):
    arrays = answer(PIXELS[:1200], CLASSES[:1200], np.random.default_rng(0))
    w1, b1, w2, b2 = (np.asarray(part) for part in arrays)
    assert w1.ndim == 2 and w1.shape[1] == 64, f"w1 has shape {w1.shape}, and should be (H, 64)"
    h = len(w1)
    assert h <= 40, f"{h} hidden units are more than 40"
    shapes = {"w1": (h, 64), "b1": (h,), "w2": (10, h), "b2": (10,)}
    for (name, shape), part in zip(shapes.items(), (w1, b1, w2, b2)):
        assert part.shape == shape, f"{name} has shape {part.shape}, and should be {shape}"
        assert np.isfinite(part).all(), f"{name} is not finite: the steps were too long"

    def accuracy(hidden, chosen=slice(1200, None)):
        return np.mean((hidden(PIXELS[chosen] @ w1.T + b1) @ w2.T + b2).argmax(axis=1) == CLASSES[chosen])

    found = accuracy(np.tanh)
    on_train = accuracy(np.tanh, slice(None, 1200))
    if found < 0.93:
        relu = accuracy(lambda z: np.maximum(z, 0))
        assert relu < 0.93, f"with ReLU it reads {relu:.1%}, but tanh is asked for ({found:.1%})"
        assert found > 0.2, (
            f"it reads {found:.1%}, no better than guessing: has it been trained, with the right sign?"
        )
        assert on_train < 0.97, (
            f"training digits {on_train:.1%}, new ones {found:.1%}: it has learned by heart"
        )
        raise AssertionError(f"it reads {found:.1%} of the new digits: train longer, or at a larger rate")


# %% [markdown]
# ## 7 Which network can draw this boundary?
#
# About 20 minutes, with pencil and paper. Each network has two inputs and one output, and says yes where
# its output is above zero. Say `True` if some weights solve the task exactly, `False` if none can. Hidden
# layers have ReLU, unless it says "linear".


# %%
def who_can():
    """True or False for each network and task."""
    return {
        "one neuron: yes on one side of a given line": ...,
        "three linear layers of 50 neurons: XOR": ...,
        "2 hidden neurons: XOR": ...,
        "2 hidden neurons: yes inside a stripe between two parallel lines": ...,
        "2 hidden neurons: yes in some bounded region, and nowhere else": ...,
        "3 hidden neurons: yes in some bounded region, and nowhere else": ...,
        "1000 hidden neurons: yes inside a circle, exactly": ...,
    }


# %%
@exercise
def check_who_can(answer):
    right = dict(zip(who_can(), (True, False, True, True, False, True, False)))
    line, linear, xor, stripe, two, three, circle = right
    reasons = {
        line: "the line where a neuron's score is zero can be any line, and its sign can be turned round",
        linear: "a stack of linear layers is one linear layer, and no line separates XOR",
        xor: "try 1/2 - |x1 + x2 - 1|, and write the absolute value with two ReLUs",
        stripe: "one neuron for each border: try 1 - relu(z) - relu(-z), positive where |z| < 1",
        two: "there are directions in which both stay off, in which the first alone grows, and in which "
        "the second alone grows; if the output is not positive far out in all of them, it never is",
        three: "one neuron for each side of a triangle, on outside of that side, with a negative output "
        "weight, and a small positive output bias",
        circle: "the boundary of a ReLU network consists of straight pieces; it can only come close",
    }
    decide(answer(), right, reasons)


# %% [markdown]
# ## 8 A loss for waiting times
#
# About 30 minutes, half of it on paper. How long until the next bird comes to the feeder? If birds come
# independently at the rate $\lambda$, the waiting time $t \ge 0$ has the *exponential distribution*, with
# the density $\lambda e^{-\lambda t}$ and the mean $1 / \lambda$. Let the network give $z = \ln \lambda$.
# Follow the recipe of lesson 5.5: the loss is the mean negative logarithm of the density. Return it and
# its gradient at $z$. Keep all terms that depend on $z$, and add none.


# %%
def waiting_time_loss(log_rates, times):
    """Mean NLL (nats) of times (n,) under the rates exp(log_rates), and its gradient at log_rates (n,)."""
    return ..., ...


# %%
@exercise
def check_waiting_time_loss(answer):
    z, t = np.array([-1.0, 0.0, 0.5, 1.2]), np.array([2.0, 0.5, 0.1, 3.0])
    rate = np.exp(z)
    loss, grad = answer(z, t)
    loss_slips = [
        ("that is a sum; the loss is a mean", (rate * t - z).sum()),
        ("the sign is turned round", (z - rate * t).mean()),
        ("the term -ln(rate) is missing: the density has the rate in front", (rate * t).mean()),
        ("z is the logarithm of the rate, not the rate", (z * t).mean()),
        ("z is the logarithm of the rate, not of the mean 1 / rate", (t / rate + z).mean()),
        ("that is the Poisson loss: a count is not a waiting time", (rate - t * z).mean()),
    ]
    compare(loss, (rate * t - z).mean(), [("loss: " + what, value) for what, value in loss_slips])
    grad_slips = [
        ("the loss is a mean, so its gradient is divided by n", rate * t - 1),
        ("the sign is turned round", (1 - rate * t) / 4),
        ("the inner slope is missing: e^z has itself as slope", (t - 1) / 4),
        ("-ln(rate) is -z, which has the slope -1", rate * t / 4),
        ("that is the slope along the rate, not along its logarithm", (t - 1 / rate) / 4),
        ("that is the Poisson loss's gradient", (rate - t) / 4),
    ]
    compare(grad, (rate * t - 1) / 4, [("gradient: " + what, value) for what, value in grad_slips])


# %% [markdown]
# ## 9 Four confusion matrices
#
# About 15 minutes. Four networks were tested on the same 300 pictures: 200 cats, 60 dogs and 40 foxes.
# Rows are the true classes, columns the answers. Read the tables and decide; answer with the name of a
# network.

# %%
CONFUSION = {
    "A": np.array([[180, 15, 5], [12, 44, 4], [6, 4, 30]]),
    "B": np.array([[200, 0, 0], [60, 0, 0], [40, 0, 0]]),
    "C": np.array([[196, 4, 0], [10, 50, 0], [22, 18, 0]]),
    "D": np.array([[150, 40, 10], [4, 55, 1], [2, 1, 37]]),
}
print(f"{'network':10s}{'true class':12s}{'cat':>6s}{'dog':>6s}{'fox':>6s}")
for name, table in CONFUSION.items():
    for species, counts in zip(("cat", "dog", "fox"), table):
        print(f"{name:10s}{species:12s}" + "".join(f"{count:6d}" for count in counts))


# %%
def read_the_tables():
    """The name of a network, "A" to "D", for each question."""
    return {
        "always gives the same answer": ...,
        "never answers fox, but tells cats from dogs": ...,
        "has the highest accuracy": ...,
        "has the highest mean recall over the three classes": ...,
        "is wrong in more than a third of its dog answers": ...,
        "reaches exactly the accuracy of always naming the most common class": ...,
    }


# %%
@exercise
def check_read_the_tables(answer):
    right = dict(zip(read_the_tables(), "BCADDB"))
    same, no_fox, accuracy, recall, dogs, common = right
    reasons = {
        same: "look for a network with a single column that is not zero",
        (no_fox, "B"): "B never answers fox, but it never answers dog either",
        no_fox: "its last column must be zero",
        accuracy: "add up the diagonal and divide by 300: A 254, B 200, C 246, D 242",
        (recall, "A"): "A has the highest accuracy, but cats are two thirds of the pictures; "
        "mean recall counts each class alike: A 0.79, D 0.86",
        recall: "divide each diagonal entry by the sum of its row, and take the mean of the three",
        dogs: "that is a question about columns (precision), not rows: of the dog answers, 44 of 63 are "
        "right in A, 50 of 72 in C, 55 of 96 in D",
        common: "200 of 300 are cats, and one network has exactly 200 right",
    }
    decide(answer(), right, reasons)


# %% [markdown]
# ## Where you are

# %%
print(summary())
