# %% [markdown]
# # 3 Exercises: prepare, train and judge
#
# Nine tasks around a first training. Each is a function that returns `...` as it stands. Put your answer
# there, run the cell, and then run the cell after it. It says _done_, _not done yet_, or what your answer
# has in common with a well-known mistake. Nothing stops, so take them in any order. At a terminal,
# `python exercises.py` shows where you are.
#
# **You need** chapter 3, and nothing but NumPy. Answers, each with its reason, are in `solutions.py`.

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
# ## 1 Read a confusion matrix
#
# (10 minutes, with pencil and paper.) A model names the species of 100 penguins. The rows are the truth,
# the columns the answer:
#
# | | called Adelie | called Chinstrap | called Gentoo |
# | --- | --- | --- | --- |
# | Adelie | 36 | 4 | 0 |
# | Chinstrap | 6 | 12 | 2 |
# | Gentoo | 0 | 0 | 40 |
#
# Replace each `...` by a number or by the name of a species. Fractions may be written as such, for
# instance as `3 / 4`.


# %%
def grades_by_hand():
    """The grades of the table: numbers from 0 to 1, and one species."""
    return {
        "accuracy": ...,
        "recall of Chinstrap": ...,
        "precision of Chinstrap": ...,
        "accuracy of always naming the most common class": ...,
        "species that is missed most often, for its number": ...,
    }


# %%
def same_numbers(given, right, slips):
    """Pass if each number of the dictionary is right; else name the entry, and the slip if it is known."""
    for name, value in right.items():
        try:
            compare(given[name], value, slips.get(name, ()))
        except AssertionError as error:
            if str(error).startswith("you have"):
                error = "look at the definition again"
            raise AssertionError(f"{name}: {error}") from None


@exercise
def check_grades_by_hand(answer):
    given = answer()
    right = {
        "accuracy": 88 / 100,
        "recall of Chinstrap": 12 / 20,
        "precision of Chinstrap": 12 / 16,
        "accuracy of always naming the most common class": 40 / 100,
    }
    slips = {
        "accuracy": [("that is the share that is wrong", 0.12), ("write it as a share of one", 88)],
        "recall of Chinstrap": [("that is the precision: recall asks how many of 20 are found", 12 / 16)],
        "precision of Chinstrap": [
            ("that is the recall: precision asks how many of those called so are", 0.6)
        ],
        "accuracy of always naming the most common class": [
            ("that is a coin among three classes; the most common class has 40 of 100 birds", 1 / 3)
        ],
    }
    same_numbers(given, right, slips)
    missed = given["species that is missed most often, for its number"]
    assert missed != "Adelie", "4 of 40 Adelies are missed; compare that share with the others' recall"
    assert missed != "Gentoo", "no gentoo is missed: look along the rows, not down the columns"
    assert missed == "Chinstrap", "name one of the three species, as the table spells it"


# %% [markdown]
# ## 2 Predict, and read three runs
#
# (10 minutes.) Three networks were trained on four classes that are equally common. Before you look at
# the table, predict the loss that a softmax model with all weights at zero has. Then predict the slope
# $\partial \ell / \partial z$ of one example along the score of a class which the model gives the
# probability 0.7: once if this class is the true one, and once if it is not.
#
# | epoch | A training | A validation | B training | B validation | C training | C validation |
# | --- | --- | --- | --- | --- | --- | --- |
# | 5 | 1.31 | 1.32 | 0.72 | 0.75 | 0.81 | 0.84 |
# | 20 | 1.24 | 1.25 | 0.31 | 0.48 | 0.55 | 0.60 |
# | 40 | 1.22 | 1.24 | 0.12 | 0.57 | 0.43 | 0.49 |
# | 80 | 1.21 | 1.23 | 0.03 | 0.81 | 0.36 | 0.44 |
#
# For each run say `"underfits"`, `"overfits"` or `"fits"`. Name the epoch (5, 20, 40 or 80) at which you
# would take the model of run B. And if you may take one model of the whole table, of which run is it?


# %%
def predicted_and_read():
    """Three predicted numbers, and what the table says about the runs."""
    return {
        "first loss": ...,
        "slope if true": ...,
        "slope if not true": ...,
        "run A": ...,
        "run B": ...,
        "run C": ...,
        "epoch of run B": ...,
        "run to take": ...,
    }


# %%
@exercise
def check_predicted_and_read(answer):
    given = answer()
    right = {"first loss": np.log(4), "slope if true": -0.3, "slope if not true": 0.7}
    slips = {
        "first loss": [("that is the guesser of two classes, and there are four", np.log(2))],
        "slope if true": [
            ("the sign: the loss falls if the score of the true class rises", 0.3),
            ("the truth, one, has to be subtracted", 0.7),
        ],
        "slope if not true": [
            ("the sign: the loss rises with the score of a wrong class", -0.7),
            ("for a class that is not true the truth is zero, not one", -0.3),
        ],
    }
    if given["first loss"] != np.log(4) and abs(given["first loss"] - np.log(4)) < 0.01:
        given = {**given, "first loss": np.log(4)}  # two decimals are enough
    same_numbers(given, right, slips)
    reasons = {
        "run A": ("underfits", "both losses stay near a guesser's"),
        "run B": ("overfits", "the training loss goes on falling while the validation loss rises"),
        "run C": ("fits", "both losses fall together, and the gap stays small"),
        "epoch of run B": (20, "take the epoch at which the validation loss is lowest"),
        "run to take": ("C", "compare the lowest validation losses of the three runs"),
    }
    for name, (value, reason) in reasons.items():
        assert given[name] == value, f"{name}: {reason}"


# %% [markdown]
# ## 3 A training step for a number
#
# (20 minutes.) The four steps for _regression_: predict $\hat y_i = w \cdot x_i + b$, and let the loss be
# the mean squared error $L = \frac1n \sum_i (\hat y_i - y_i)^2$. Derive its gradient along $w$ and $b$ by
# the chain rule. Then write one step of gradient descent for all rows. Return the new parameters and the
# loss _before_ the step, and leave the given arrays as they are.


# %%
def regression_step(w, b, x, y, learning_rate):
    """(new w (D,), new b, loss before the step) for x (n, D), y (n,) and the mean squared error."""
    return ...


# %%
@exercise
def check_regression_step(answer):
    rng = np.random.default_rng(33)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    w, b, rate = rng.normal(size=3), 0.4, 0.1
    before = w.copy()
    error = x @ w + b - y
    got = answer(w, b, x, y, rate)
    assert isinstance(got, tuple) and len(got) == 3, "return three things: new w, new b, loss"
    assert np.array_equal(w, before), "w was changed in place: compute a new array"
    grad = x.T @ error / 7
    slips = [
        ("new w: the slope of the square is 2 times the error; the factor 2 is missing", w - rate * grad),
        ("new w: the loss is a mean, so its gradient is divided by n", w - rate * 14 * grad),
        ("new w: the step goes up the slope; it has to be subtracted", w + rate * 2 * grad),
        ("new w: the learning rate is missing", w - 2 * grad),
        ("new w: that is the gradient, not the parameters after the step", 2 * grad),
    ]
    compare(got[0], w - rate * 2 * grad, slips)
    right_b = b - rate * 2 * error.mean()
    slips = [
        ("new b: b has not moved", b),
        ("new b: the factor 2 is missing", b - rate * error.mean()),
        ("new b: the loss is a mean, so its gradient is divided by n", b - rate * 2 * error.sum()),
        ("new b: the step goes up the slope; it has to be subtracted", b + rate * 2 * error.mean()),
    ]
    compare(got[1], right_b, slips)
    after = x @ got[0] + got[1] - y
    slips = [
        ("loss: that is the loss after the step; it was asked before it", np.mean(after**2)),
        ("loss: a sum, where the mean was asked", np.sum(error**2)),
        ("loss: the errors are not squared", np.mean(error)),
    ]
    compare(got[2], np.mean(error**2), slips)


# %% [markdown]
# ## 4 When the experts disagree
#
# (20 minutes.) Five experts named the species of each bird, and they did not agree. So a label is now a
# row of _shares_, such as $(0.8, 0.2, 0)$. The loss of a bird with the shares $t$ is the mean surprise of
# its experts, $\ell = -\sum_k t_k \ln p_k$, with $p$ the softmax of the logits $z = W x + b$. Derive the
# slope along a logit (use that the shares sum to one). Return the mean loss of the batch, and its
# gradients along $W$ and $b$. Logits may be in the thousands.


# %%
def soft_label_gradients(weight, bias, x, shares):
    """(loss, gradient along weight (K, D), along bias (K,)) for x (B, D) and shares (B, K)."""
    return ...


# %%
@exercise
def check_soft_label_gradients(answer):
    rng = np.random.default_rng(34)
    weight, bias, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(5, 4))
    shares = np.array([[0.8, 0.2, 0], [1, 0, 0], [0.2, 0.2, 0.6], [0, 0.4, 0.6], [0, 1, 0]])
    z = x @ weight.T + bias
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    wrong_axis = np.exp(z) / np.exp(z).sum(axis=0)
    hard = np.eye(3)[shares.argmax(axis=1)]
    got = answer(weight, bias, x, shares)
    assert isinstance(got, tuple) and len(got) == 3, "return three things: loss, and two gradients"
    loss = -np.sum(shares * np.log(p)) / 5
    slips = [
        ("loss: a sum over the birds, where the mean was asked", 5 * loss),
        ("loss: the mean is over birds only, not over birds and classes", loss / 3),
        ("loss: only the most frequent answer of the experts counts", -np.sum(hard * np.log(p)) / 5),
        ("loss: the sign, a surprise is not negative", -loss),
    ]
    compare(got[0], loss, slips)
    for name, back in (("weight: ", lambda grad: grad.T @ x), ("bias: ", lambda grad: grad.sum(axis=0))):
        slips = [
            ("the loss is a mean over the birds", back(p - shares)),
            ("the sign is turned round", back(shares - p) / 5),
            ("only the most frequent answer of the experts counts", back(p - hard) / 5),
            (
                "the softmax runs over the classes of one bird, not over the birds",
                back(wrong_axis - shares) / 5,
            ),
            ("the shares are still missing: probability minus truth", back(p) / 5),
        ]
        try:
            compare(got[1] if name == "weight: " else got[2], back(p - shares) / 5, slips)
        except AssertionError as error:
            raise AssertionError(name + str(error)) from None
    with np.errstate(all="ignore"):
        far = answer(1000 * weight, bias, x, shares)
    assert np.isfinite(far[0]), "logits in the thousands: subtract each row's largest from the row"
    assert np.isfinite(far[1]).all(), "logits in the thousands: subtract each row's largest first"


# %% [markdown]
# ## 5 A loop with four faults
#
# (30 minutes.) `broken_fit` runs without a complaint, but it has four faults. This chapter has warned of
# each of them, or has done the same thing rightly. Find them, and write the function as it should be. The
# validation birds are given because one fault has to do with them. Use `rng` as it is used here: one
# `rng.permutation(len(x_train))` for each epoch.


# %%
def sigmoid(scores):
    """1 / (1 + exp(-scores)) without overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1, small) / (1 + small)


def broken_fit(x_train, y_train, x_validation, learning_rate, n_epochs, batch_size, rng):
    """Logistic regression in batches: weights (D,), bias, center and spread of the scale. With faults."""
    everything = np.concatenate([x_train, x_validation])
    center, spread = everything.mean(axis=0), everything.std(axis=0)
    x = (x_train - center) / spread
    w = np.zeros(x.shape[1])
    b = 0.0
    grad_w = np.zeros(x.shape[1])
    grad_b = 0.0
    for _ in range(n_epochs):
        order = rng.permutation(len(x_train))
        shuffled = x[order]
        for start in range(0, len(x) - batch_size + 1, batch_size):
            batch = slice(start, start + batch_size)
            grad_z = sigmoid(shuffled[batch] @ w + b) - y_train[batch]  # (B,)
            grad_w += shuffled[batch].T @ grad_z / len(grad_z)
            grad_b += grad_z.mean()
            w = w - learning_rate * grad_w
            b = b - learning_rate * grad_b
    return w, b, center, spread


# %%
def repaired_fit(x_train, y_train, x_validation, learning_rate, n_epochs, batch_size, rng):
    """Logistic regression in batches: weights (D,), bias, and center and spread of the scale."""
    return ...


# %%
OUTCOMES = {  # faults that are left -> the two weights and the bias that come out of the check's data
    "none": (-0.347015722, 0.238764298, -0.464592591),
    "labels, last batch, sums": (-0.435818019, 0.347678858, -1.218077935),
    "labels, last batch": (-0.10864982, 0.155153102, -0.3687654),
    "last batch, sums": (-1.339473212, 0.883738561, -0.664357141),
    "labels, sums": (-0.219832545, 0.503591355, -1.341181403),
    "labels": (-0.154149298, 0.160169335, -0.329745164),
    "last batch": (-0.371177251, 0.267688881, -0.241584384),
    "sums": (-1.295949596, 1.008710657, -2.230139039),
}


@exercise
def check_repaired_fit(answer):
    rng = np.random.default_rng(35)
    x, y = rng.normal(size=(10, 2)) + 3, rng.integers(2, size=10)
    held_out = rng.normal(size=(4, 2))
    given = x.copy()
    setting = (x, y, held_out, 0.3, 3, 4)
    got = answer(*setting, np.random.default_rng(1))
    assert isinstance(got, tuple) and len(got) == 4, "return four things: w, b, center, spread"
    assert np.array_equal(x, given), "x_train was changed in place: work on a new array"
    hints = {
        "scale": "the scale has seen the validation birds: measure center and spread on the training birds",
        "labels": "the birds are shuffled and their labels are not: each bird gets another one's label",
        "last batch": "the last birds of each epoch are never used: a smaller last batch is fine",
        "sums": "gradients of earlier batches are still in the sum: clear it before each step",
    }
    compare(got[2], x.mean(axis=0), [(hints["scale"], np.concatenate([x, held_out]).mean(axis=0))])
    slips = [(hints[left.split(", ")[0]], numbers) for left, numbers in OUTCOMES.items() if left != "none"]
    compare(np.append(got[0], got[1]), OUTCOMES["none"], slips)
    compare(got[3], x.std(axis=0))


# %% [markdown]
# ## 6 Better than the baseline?
#
# (20 minutes.) Given the labels of the training birds, and the labels and predictions of the test birds,
# find out whether the model is better than a baseline that always names the class which was most common
# _in training_. Return the accuracy of the model, that of the baseline, and the two ends of a bootstrap
# interval (middle 95 percent of 2000 resamples) of the _difference_, model minus baseline. Resample
# birds, so that both are graded on the same ones.


# %%
def against_baseline(train_labels, labels, predictions, rng):
    """(accuracy of the model, of the baseline, low, high of the difference) on labels, predictions (n,)."""
    return ...


# %%
@exercise
def check_against_baseline(answer):
    rng = np.random.default_rng(36)
    train_labels = rng.permutation(np.repeat([0, 1, 2], [30, 50, 20]))
    labels = rng.permutation(np.repeat([0, 1, 2], [80, 60, 20]))  # here class 0 is the most common one
    is_known = rng.random(160) < np.where(labels == 1, 0.95, 0.4)  # the model is best at class 1
    predictions = np.where(is_known, labels, rng.integers(3, size=160))
    got = answer(train_labels, labels, predictions, np.random.default_rng(0))
    assert isinstance(got, tuple) and len(got) == 4, "return four numbers: two accuracies, low, high"
    is_right = (predictions == labels).astype(float)
    base_right = (labels == 1).astype(float)
    compare(got[0], is_right.mean(), [("model: that is the share of mistakes", 1 - is_right.mean())])
    slips = [
        ("baseline: the test labels have chosen the class; the baseline may know the training only", 0.5),
        ("baseline: that is a guesser among three classes", 1 / 3),
    ]
    compare(got[1], base_right.mean(), slips)
    difference = is_right - base_right
    margin = 1.96 * difference.std() / np.sqrt(160)
    low, high = difference.mean() - margin, difference.mean() + margin
    apart = 1.96 * np.sqrt((is_right.var() + base_right.var()) / 160)
    width = (got[3] - got[2]) / 2
    assert got[2] < got[3], "the lower end has to come first"
    assert got[2] < difference.mean() < got[3], (
        "the interval has to lie around the difference, model minus baseline"
    )
    tolerance = 0.12 * margin
    far_off = abs(width - apart) < tolerance < abs(width - margin)
    assert not far_off, "both are resampled separately: draw birds, and take both answers on the same birds"
    one_error = abs(width - margin / 1.96) < tolerance
    assert not one_error, "that is one standard error to each side; the middle 95 percent is about two"
    narrow = width < 0.5 * margin
    assert not narrow, "the interval is far too narrow: each resample has as many birds as the test set"
    ends = abs(got[2] - low) < 2 * tolerance and abs(got[3] - high) < 2 * tolerance
    assert ends, f"the interval is {got[2]:.3f} to {got[3]:.3f}, and about {low:.3f} to {high:.3f} is right"


# %% [markdown]
# ## 7 New birds, old scale
#
# (15 minutes.) A trained model is a dictionary: `"columns"` (the names of its features, in order),
# `"center"` and `"spread"` of its training birds, `"weight"` (K, D), `"bias"` (K,), and `"species"`, the
# K names. New birds come as dictionaries of texts, as `csv.DictReader` gives them. Return a list with the
# name of the species for each bird, and `None` for a bird that lacks one of the features (`"NA"` or an
# empty text).


# %%
def name_species(birds, model):
    """A list with a species' name or None for each of the birds, dicts of texts."""
    return ...


# %%
@exercise
def check_name_species(answer):
    model = {
        "columns": ("flipper_length_mm", "bill_length_mm"),
        "center": np.array([200.0, 44.0]),
        "spread": np.array([14.0, 5.0]),
        "weight": np.array([[-1.0, -2.0], [-1.0, 2.0], [2.0, 0.0]]),
        "bias": np.array([0.2, 0.0, 0.1]),
        "species": ("Adelie", "Chinstrap", "Gentoo"),
    }
    birds = [
        {"island": "Dream", "bill_length_mm": "50.1", "flipper_length_mm": "195", "year": "2007"},
        {"island": "Biscoe", "bill_length_mm": "47.0", "flipper_length_mm": "218", "year": "2008"},
        {"island": "Biscoe", "bill_length_mm": "NA", "flipper_length_mm": "210", "year": "2008"},
        {"island": "Dream", "bill_length_mm": "38.0", "flipper_length_mm": "186", "year": "2009"},
        {"island": "Dream", "bill_length_mm": "45.0", "flipper_length_mm": "", "year": "2009"},
    ]
    got = answer(birds, model)
    assert isinstance(got, list), "return a list, with one entry for each bird"
    assert len(got) == 5, f"5 birds came, and {len(got)} answers go: a bird with a gap gets None, and stays"
    assert got[2] is None and got[4] is None, "a bird that lacks a feature (NA or an empty text) gets None"
    assert not all(isinstance(got[i], (int, np.integer)) for i in (0, 1, 3)), (
        "those are places; names were asked"
    )
    alone = [answer([bird], model)[0] for bird in birds]
    assert alone == got, "a bird's answer changes with the others: use the scale of the training"
    assert got != ["Gentoo", "Gentoo", None, "Gentoo", None], "the birds are not scaled before the weights"
    swapped = ["Chinstrap", "Chinstrap", None, "Chinstrap", None]
    assert got != swapped, "take the features in the order of the model's columns"
    right = ["Chinstrap", "Gentoo", None, "Adelie", None]
    assert got == right, f"you have {got}, and {right} is right"
    assert answer([], model) == [], "no birds, no answers: return an empty list"


# %% [markdown]
# ## 8 XOR with another activation
#
# (30 minutes.) Take the network of lesson 3.5, and replace $\tanh$ by the _softsign_, $a(z) = z / (1 +
# |z|)$. Its slope is $1 / (1 + |z|)^2$. Return the mean cross-entropy and the four gradients, in the
# order of the parameters. Then try whether it learns XOR, from a hundred starts, as often as $\tanh$
# (nobody checks this).


# %%
def softsign_gradients(parameters, x, y):
    """(loss, gradients like the parameters W1 (H, 2), b1 (H,), W2 (1, H), b2 (1,)) on x (n, 2), y (n,)."""
    return ...


# %%
@exercise
def check_softsign_gradients(answer):
    rng = np.random.default_rng(38)
    parameters = [rng.normal(size=shape) for shape in ((3, 2), (3,), (1, 3), (1,))]
    x, y = rng.normal(size=(6, 2)), rng.integers(2, size=6)
    weight1, bias1, weight2, bias2 = parameters
    z = x @ weight1.T + bias1
    a = z / (1 + np.abs(z))
    s = (a @ weight2.T + bias2)[:, 0]
    delta = ((sigmoid(s) - y) / 6)[:, None]
    through = delta @ weight2
    slope = 1 / (1 + np.abs(z)) ** 2
    got = answer(parameters, x, y)
    assert isinstance(got, tuple) and len(got) == 2, (
        "return two things: the loss, and a list of four gradients"
    )
    assert len(got[1]) == 4, f"there are four parameters, and you return {len(got[1])} gradients"
    loss = np.mean(np.logaddexp(0, s) - y * s)
    slips = [("loss: a sum, where the mean was asked", 6 * loss), ("loss: the sign", -loss)]
    compare(got[0], loss, slips)
    grad_z = through * slope
    names = ("W1", "b1", "W2", "b2")
    right = (grad_z.T @ x, grad_z.sum(axis=0), delta.T @ a, delta.sum(axis=0))
    tanh_like = through * (1 - a * a)
    signed = through * np.sign(z) * slope
    slips = {
        "W1": [
            ("the slope of the activation is missing on the way back", through.T @ x),
            ("1 - a² is the slope of tanh; softsign has its own", tanh_like.T @ x),
            ("the slope of softsign has no sign in it: it rises on both sides of zero", signed.T @ x),
            ("the loss is a mean: the division by n is missing", 6 * grad_z.T @ x),
        ],
        "b1": [
            ("the slope of the activation is missing on the way back", through.sum(axis=0)),
            ("a mean over the points; their gradients add up", grad_z.mean(axis=0)),
        ],
        "W2": [("W2 is multiplied by the hidden values a, not by the sums z", delta.T @ z)],
        "b2": [("a mean over the points; their gradients add up", delta.mean(axis=0))],
    }
    for name, ours, expected in zip(names, got[1], right):
        try:
            compare(ours, expected, slips[name])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


# %% [markdown]
# ## 9 Will it rain? From the file to a probability
#
# (60 minutes.) The file `data/seattle_weather.csv` has one row for each day of four years. From the day's
# highest and lowest temperature and the wind, tell the probability that the day had any rain or snow,
# which means that its `precipitation` is above zero. Write the whole way: features and labels from the
# rows, a scale, training of logistic regression by your own loop, and probabilities for new rows. The
# rows of 2012 to 2014 will be given for training, and those of 2015 are new. (Whole years, because
# neighbouring days are alike.)
#
# The target on the new year: a loss below 0.5 nats, where naming the share of rainy days has 0.67, and an
# accuracy above 75 percent, where always saying _dry_ has about 61. Experiment as much as you like, but
# judge by a part of the training rows that you hold out.


# %%
with open(HERE / "data" / "seattle_weather.csv", encoding="utf-8") as file:
    days = list(
        csv.DictReader(file)
    )  # dicts of texts: date, precipitation, temp_max, temp_min, wind, weather


def rain_probabilities(train_rows, new_rows):
    """Probability of precipitation (m,) for each of the new rows, by a model trained on train_rows."""
    return ...


# %%
@exercise
def check_rain_probabilities(answer):
    before_2015 = [dict(day) for day in days if day["date"] < "2015"]
    year_2015 = [dict(day) for day in days if day["date"] >= "2015"]
    truth = np.array([float(day["precipitation"]) > 0 for day in year_2015])
    p = np.asarray(answer(before_2015, year_2015), dtype=float)
    assert p.shape == (365,), (
        f"the shape is {p.shape}, and should be (365,): one probability for each new day"
    )
    assert np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1, "a probability lies between 0 and 1"
    again = np.asarray(answer(before_2015, year_2015), dtype=float)
    assert np.allclose(p, again), "the same rows give another answer the second time: seed your generator"
    blind = [{**day, "precipitation": "0.0", "weather": "sun"} for day in year_2015]
    unseen = np.asarray(answer(before_2015, blind), dtype=float)
    assert np.allclose(p, unseen), "the answer leaks: nobody knows precipitation and weather of a new day"
    part = np.asarray(answer(before_2015, year_2015[180:240]), dtype=float)
    assert np.allclose(part, p[180:240], atol=1e-6), (
        "a day's answer changes with the other new days: is the scale theirs?"
    )
    accuracy = np.mean((p > 0.5) == truth)
    if accuracy < 0.5:
        raise AssertionError("worse than a coin: are the labels turned round, or does the step go uphill?")
    with np.errstate(divide="ignore"):
        loss = -np.mean(np.log(np.where(truth, p, 1 - p)))
    too_sure = accuracy > 0.75 and loss > 0.6
    assert not too_sure, f"right on {accuracy:.0%} of the days, but too sure: the loss is {loss:.2f}"
    assert loss < 0.58, f"the loss is {loss:.2f}: train for longer, and scale the features first"
    assert accuracy > 0.75, f"accuracy {accuracy:.1%}: use both temperatures, and train for longer"
    assert loss < 0.5, f"the loss is {loss:.3f}: train for longer, or try another learning rate"


# %% [markdown]
# ## Where you are

# %%
print(summary())
