# %% [markdown]
# # 8 Exercises: dropout, decay, norms and the art of stopping
#
# Eight exercises on regularization: four functions with their awkward cases, a training loop that has to
# know when it is over, labels that are mixed, five runs to judge from their curves, and a choice to report
# honestly. Each function returns `...` as it stands. Put your code there, run the cell, then run the cell
# after it. It answers _done_, _not done yet_, or what your answer gets wrong. Nothing stops, so take them
# in any order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 8. The answers, each with its reason, are in `solutions.py`.

# %%
import traceback
from pathlib import Path

import matplotlib.pyplot as plt
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
# ## 1 Dropout, there and back
#
# About fifteen minutes. Dropout gets its random numbers from outside: `u` (…) has one number between 0
# and 1 for each entry of `x`, and an entry is dropped if its number is _below_ `p`. In training what is
# kept is scaled so that the mean stays as it was (inverted dropout, 8.1); otherwise nothing happens.
# Return the output and, given $\partial L / \partial y$, also $\partial L / \partial x$. With `p = 1`
# everything is dropped, without a warning. Change none of the arrays that you are given.


# %%
def dropout_both_ways(x, grad_y, u, p, training):
    """(y, dL/dx), both of x's shape, from x, dL/dy and the random numbers u, all of the same shape."""
    return ..., ...


# %%
def judge(got, right, signs, slips=()):
    """As `compare`, but if no slip gives the same numbers, ask for the properties that tell others."""
    known = [right, *(wrong for _, wrong in slips)]
    if not any(np.shape(got) == np.shape(n) and np.allclose(got, n, rtol=1e-6, atol=1e-9) for n in known):
        for what, shows in signs:
            assert not shows(), what
    compare(got, right, slips)


def dropout_by_pytorch(x, grad, p, training=True):
    """Output and gradient of torch's dropout, which drops the same entries at each call."""
    torch.manual_seed(81)
    inputs = torch.from_numpy(x).requires_grad_()
    y = F.dropout(inputs, p, training)
    return y.detach().numpy(), torch.autograd.grad(y, inputs, torch.from_numpy(grad))[0].numpy()


@exercise
def check_dropout_both_ways(answer):
    rng = np.random.default_rng(81)
    x, grad = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    p = 0.25
    right_y, right_grad = dropout_by_pytorch(x, grad, p)
    stay = right_y != 0
    u = np.where(stay, rng.uniform(p, 1, stay.shape), rng.uniform(0, p, stay.shape))

    def ratio(got, right):
        """By how much too large all entries that stay are, or NaN if not all by the same factor."""
        ratios = np.asarray(got)[stay] / right[stay]
        return ratios[0] if np.allclose(ratios, ratios[0]) else np.nan

    given = x.copy(), grad.copy(), u.copy()
    y, grad_x = answer(*given, p, True)
    assert all(np.array_equal(a, b) for a, b in zip(given, (x, grad, u))), (
        "an array that was given has changed: make new ones"
    )
    signs = [
        ("nothing is dropped, although training is True", lambda: np.array_equal(y, x)),
        ("the wrong entries are dropped: those whose number is below p go", lambda: np.any(y[~stay])),
        (
            "the output is not scaled: with a quarter dropped its mean is a quarter smaller",
            lambda: np.isclose(ratio(y, right_y), 0.75),
        ),
        ("scaled by 1/p; p is what is dropped", lambda: np.isclose(ratio(y, right_y), 3)),
        (
            "scaled by 1 - p: that is what the first version of dropout did in evaluation",
            lambda: np.isclose(ratio(y, right_y), 0.5625),
        ),
    ]
    judge(y, right_y, signs)
    signs = [
        (
            "the gradient is passed on as it came: apply mask and scale to it",
            lambda: np.array_equal(grad_x, grad),
        ),
        (
            "the gradient goes through dropped entries, too: they did not reach the output",
            lambda: np.any(grad_x[~stay]),
        ),
        (
            "the gradient is masked but not scaled, and the output was scaled",
            lambda: np.isclose(ratio(grad_x, right_grad), 0.75),
        ),
        ("the scale of the gradient is squared", lambda: np.isclose(ratio(grad_x, right_grad), 4 / 3)),
    ]
    judge(grad_x, right_grad, signs)
    y, grad_x = answer(x, grad, u, p, False)
    signs = [
        (
            "in evaluation nothing is dropped; your function does not look at `training`",
            lambda: not np.all(y),
        ),
        ("in evaluation nothing is dropped and nothing scaled", lambda: True),
    ]
    judge(y, dropout_by_pytorch(x, grad, p, False)[0], signs)
    signs = [("in evaluation the gradient is passed on as it came", lambda: True)]
    judge(grad_x, dropout_by_pytorch(x, grad, p, False)[1], signs)
    with np.errstate(divide="raise", invalid="raise"):
        try:
            y, grad_x = answer(x, grad, u, 1.0, True)
        except (FloatingPointError, ZeroDivisionError):
            raise AssertionError("p = 1 divides by zero: everything is dropped, so the result is 0") from None
    compare(y, np.zeros_like(x))
    compare(grad_x, np.zeros_like(x))
    whole = np.arange(1, 7)
    y, _ = answer(whole, whole, np.full(6, 0.9), p, True)
    as_floats, _ = answer(whole / 1, whole / 1, np.full(6, 0.9), p, True)
    slips = [("whole numbers come out whole: the fractions were cut off", np.floor(as_floats))]
    compare(y, as_floats, slips)


# %% [markdown]
# ## 2 Two places for a penalty
#
# About twenty minutes. One step of Adam on `w`, given the gradient `g` of the data's loss (without any
# penalty), its two averages `m` and `v` from before, and the number `t` of this step, counted from 1:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad w
# \leftarrow w - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}$$
#
# With `decoupled=False` Adam minimizes the loss plus the penalty $\frac\lambda2 w^2$ (L2). With
# `decoupled=True` the weights are multiplied by $1 - \eta\lambda$ in a step of its own, before Adam's
# (AdamW as PyTorch has it, 8.2). In the code $\eta$ is `rate` and $\lambda$ is `decay`. Change none of the
# arrays that you are given.


# %%
def adam_step(w, g, m, v, t, rate, decay, decoupled, betas=(0.9, 0.999), eps=1e-8):
    """The new (w, m, v), each of w's shape, after step number t = 1, 2, ..."""
    return ..., ..., ...


# %%
def by_pytorch(library, start, gradients, decay, **settings):
    """The weights after a step with the rate 0.01 for each gradient, by an optimizer of torch.optim."""
    w = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = library([w], lr=0.01, **settings)
    optimizer.param_groups[0]["weight_decay"] = decay  # afterwards, because a negative one is refused above
    for gradient in gradients:
        w.grad = torch.from_numpy(gradient)
        optimizer.step()
    return w.detach().numpy()


@exercise
def check_adam_step(answer):
    rng = np.random.default_rng(82)
    start = rng.normal(size=5) * [1, 1, 10, 10, 0.1]
    gradients = rng.normal(size=(3, 5))
    nothing = np.zeros(5)

    def walk(decay, decoupled, **settings):
        """The weights after three steps, one for each gradient."""
        w, m, v = start.copy(), np.zeros(5), np.zeros(5)
        for t, gradient in enumerate(gradients, start=1):
            given = [w, m, v, gradient]
            before = [array.copy() for array in given]
            w, m, v = answer(w, gradient, m, v, t, 0.01, decay, decoupled, **settings)
            assert all(np.array_equal(a, b) for a, b in zip(given, before)), (
                "an array that was given has changed: make new ones"
            )
        return w

    def differ(one, other, i=0, decoupled=True):
        """Whether w (i = 0) or m (i = 1) depends on what these two settings of a single step change."""
        results = []
        for setting in (one, other):
            of = {"w": start, "g": gradients[0], "m": nothing, "v": nothing, "t": 1, "decay": 0.5} | setting
            results.append(answer(**of, rate=0.01, decoupled=decoupled)[i])
        return not np.allclose(*results)

    def in_gradient(decoupled):
        return differ({"decay": 0.0}, {"decay": 0.5}, i=1, decoupled=decoupled)

    def in_step(decoupled):  # with so large a v Adam's own step has no length
        return differ({"v": nothing + 1e60}, {"v": nothing + 1e60, "decay": 0.0}, decoupled=decoupled)

    sign = "plain Adam: the averages are not divided by 1 - beta^t"
    right = by_pytorch(torch.optim.Adam, start, gradients, 0.0)
    judge(
        walk(0.0, False), right, [(sign, lambda: not differ({"t": 1, "decay": 0.0}, {"t": 9, "decay": 0.0}))]
    )

    signs = [
        (
            "decoupled=False: the penalty acts twice, in g and in the step",
            lambda: in_gradient(False) and in_step(False),
        ),
        (
            "decoupled=False: the weights shrink in a step of their own; the penalty belongs into g",
            lambda: in_step(False),
        ),
        (
            "decoupled=False: the penalty's gradient, decay times w, is missing in g",
            lambda: not in_gradient(False),
        ),
    ]
    slips = [
        (
            "decoupled=False: the slope of decay / 2 · w² is decay · w, without a 2",
            by_pytorch(torch.optim.Adam, start, gradients, 1.0),
        ),
        (
            "decoupled=False: the penalty has the wrong sign",
            by_pytorch(torch.optim.Adam, start, gradients, -0.5),
        ),
    ]
    judge(walk(0.5, False), by_pytorch(torch.optim.Adam, start, gradients, 0.5), signs, slips)

    signs = [
        (
            "decoupled=True: the penalty acts twice, in g and in the step",
            lambda: in_gradient(True) and in_step(True),
        ),
        (
            "decoupled=True: the penalty is still in g, where Adam divides it away",
            lambda: in_gradient(True),
        ),
        ("decoupled=True: the weights do not shrink", lambda: not in_step(True)),
        (  # a weight of zero does not shrink, unless it has moved before
            "decoupled=True: the weights shrink after Adam's step; here they do before it",
            lambda: differ({"w": nothing}, {"w": nothing, "decay": 0.0}),
        ),
    ]
    slips = [
        (
            "decoupled=True: the factor is 1 - rate · decay; the rate is missing",
            by_pytorch(torch.optim.AdamW, start, gradients, 50.0),
        ),
    ]
    judge(walk(0.5, True), by_pytorch(torch.optim.AdamW, start, gradients, 0.5), signs, slips)

    def with_settings(**settings):
        return by_pytorch(torch.optim.Adam, start, gradients, 0.0, **settings)

    slips = [
        ("betas and eps are fixed at 0.9, 0.999 and 1e-8", with_settings()),
        ("betas are fixed at 0.9 and 0.999", with_settings(eps=0.1)),
        ("eps is fixed at 1e-8", with_settings(betas=(0.5, 0.75))),
        ("betas are the wrong way round: the first is for m", with_settings(betas=(0.75, 0.5), eps=0.1)),
    ]
    sign = "eps stands inside the square root; in Adam it is added to the root"
    units = [{"g": k * gradients[0], "eps": 0.1 * k, "decay": 0.0} for k in (1, 10)]  # no unit of g matters
    right = with_settings(betas=(0.5, 0.75), eps=0.1)
    judge(walk(0.0, True, betas=(0.5, 0.75), eps=0.1), right, [(sign, lambda: differ(*units))], slips)


# %% [markdown]
# ## 3 What batch norm remembers
#
# About fifteen minutes. While it trains, batch norm keeps a running mean and a running variance of each
# column, for evaluation (8.3). Both start as PyTorch starts them, at zero and at one, and after each batch
# they move to the batch's own values by the share `momentum` of the way. As in PyTorch, the batch's
# variance for this purpose is the _unbiased_ one. A batch of a single row has none: raise a `ValueError`
# instead of remembering NaN for ever.


# %%
def running_statistics(batches, momentum=0.1):
    """The running (mean (C,), variance (C,)) after the batches, a list of arrays (B, C) with any B > 1."""
    return ..., ...


# %%
def remembered_by_pytorch(batches, momentum):
    """Running mean and variance of torch's layer after the batches; with None it takes plain means."""
    layer = nn.BatchNorm1d(3, momentum=momentum, dtype=torch.float64)
    for batch in batches:
        layer(torch.from_numpy(batch))
    return layer.running_mean.numpy(), layer.running_var.numpy()


@exercise
def check_running_statistics(answer):
    rng = np.random.default_rng(83)
    batches = [rng.normal(2.0, 3.0, (n, 3)) for n in (4, 5, 2)]
    right_mean, right_variance = remembered_by_pytorch(batches, 0.1)
    other_share = remembered_by_pytorch(batches, 0.9)
    mean, variance = answer([batch.copy() for batch in batches])
    slips = [
        ("mean: momentum is the share of the way to the new value, not what is kept", other_share[0]),
        ("mean: that is the last batch's own", remembered_by_pytorch(batches[-1:], 1.0)[0]),
        ("mean: that is the plain mean of the batches' means", remembered_by_pytorch(batches, None)[0]),
        ("mean: that is the mean of all rows", remembered_by_pytorch([np.concatenate(batches)], 1.0)[0]),
    ]
    compare(mean, right_mean, slips)

    def after_one(batch):  # here the share is so large that only the batch's own variance is left
        return answer([batch], 1.0)[1]

    signs = [
        (
            "variance: it starts at one, not at zero",  # a batch without any spread leaves half of the start
            lambda: not np.any(answer([np.ones((2, 3))], 0.5)[1]),
        ),
        (
            "variance: it is divided by n; here the unbiased one counts",  # with two rows that is a half
            lambda: np.allclose(2 * after_one(batches[-1]), remembered_by_pytorch(batches[-1:], 1.0)[1]),
        ),
    ]
    slips = [
        ("variance: momentum is the share of the way to the new value, not what is kept", other_share[1]),
        ("variance: those are standard deviations", np.sqrt(right_variance)),
    ]
    judge(variance, right_variance, signs, slips)
    slips = [("momentum is fixed at 0.1", right_mean)]
    compare(answer(batches, 0.5)[0], remembered_by_pytorch(batches, 0.5)[0], slips)
    try:
        with np.errstate(all="ignore"):
            got = answer([batches[0], batches[1][:1]])
    except ValueError:
        return
    assert np.isfinite(got[1]).all(), "a batch of one row has made the running variance NaN: refuse it"
    raise AssertionError("a batch of one row has no unbiased variance: raise a ValueError")


# %% [markdown]
# ## 4 Layer norm where sentences differ in length
#
# About twenty minutes. Sentences of different lengths lie in one array `x` (B, T, D), and what follows a
# sentence's end is padding: any finite numbers may stand there. Normalize every _place_ over its own D
# features (mean 0, variance 1, `eps` inside the square root; then times `gain`, plus `shift`, both (D,)),
# and return for each sentence the mean over its _own_ places. What stands in the padding must not matter.
# A sentence without a word gets zeros.


# %%
def norm_and_pool(x, lengths, gain, shift, eps=1e-5):
    """The mean (B, D) over each sentence's places of the layer norm of x (B, T, D); lengths: (B,), 0 to T."""
    return ...


# %%
@exercise
def check_norm_and_pool(answer):
    rng = np.random.default_rng(84)
    x = rng.normal(1.0, 2.0, (3, 4, 5))
    lengths = np.array([4, 2, 1])
    gain, shift = rng.normal(size=5), rng.normal(size=5)
    beyond = [(i, t) for i in range(3) for t in range(4) if t >= lengths[i]]
    for place in beyond:
        x[place] = 50.0 * rng.normal(size=5)
    # the right numbers come from torch, with NaN in the padding, so that nanmean leaves it out
    marked = torch.from_numpy(x.copy())
    for place in beyond:
        marked[place] = torch.nan
    as_tensors = torch.from_numpy(gain), torch.from_numpy(shift)
    right = F.layer_norm(marked, (5,), *as_tensors).nanmean(dim=1).numpy()
    ones, zeros = np.ones(5), np.zeros(5)
    whole = rng.normal(1.0, 2.0, (3, 4, 5))  # the sentences of these have no padding
    all_four = np.array([4, 4, 4])

    def full(x):
        return np.asarray(answer(x, all_four, ones, zeros))

    def moved(i=0, t=0, factor=3.0):
        """The whole sentences, place t of sentence i changed: its numbers times a factor."""
        changed = whole.copy()
        changed[i, t] *= factor
        return changed

    def faint():
        """The spread of what comes out for numbers with as little spread as eps has."""
        return np.std(full(1e-5 * np.tile([1.0, -1.0, 1.0, -1.0, 0.0], (3, 4, 1))))

    def norm_is_right():
        return np.allclose(full(whole), F.layer_norm(torch.from_numpy(whole), (5,)).mean(dim=1))

    def factors():
        return np.asarray(got) / right

    given = x.copy()
    got = answer(given, lengths, gain, shift)
    signs = [
        (
            "gain and shift are missing",
            lambda: np.allclose(answer(x, lengths, gain, shift), answer(x, lengths, ones, zeros)),
        ),
        (
            "the shift is missing",
            lambda: np.allclose(answer(x, lengths, gain, shift), answer(x, lengths, gain, zeros)),
        ),
        (
            "the norm runs over the batch: that is batch norm",
            lambda: not np.allclose(full(moved(i=1))[0], full(whole)[0]),
        ),
        (
            "the norm runs over the places of a sentence; each place is normalized by itself",
            lambda: np.allclose(full(whole), 0),
        ),
        (
            "the norm runs over places and features at once, so padding leaks in",
            lambda: not np.allclose(full(moved()), full(whole), rtol=1e-3, atol=1e-3),
        ),
        ("eps is missing", lambda: faint() > 0.9),
        ("eps stands outside the square root", lambda: faint() > 0.3),
        (
            "layer norm's variance divides by D, not by D - 1",
            lambda: np.isclose(np.std(full(whole[:, :1].repeat(4, axis=1))), np.sqrt(0.8), rtol=1e-3),
        ),
        (
            "that is the sum over the real places, not their mean",
            lambda: np.allclose(factors(), lengths[:, None]),
        ),
        (
            "the sum over the real places is divided by T; divide by each sentence's own length",
            lambda: np.allclose(4 * factors(), lengths[:, None]),
        ),
        ("the mean runs over the padding, too", lambda: norm_is_right()),
    ]
    judge(got, right, signs)
    assert np.array_equal(given, x), "your function changed the array that it was given"
    with np.errstate(invalid="ignore", divide="ignore"):
        got = answer(x[:1], np.array([0]), gain, shift)
    assert not np.isnan(got).any(), "a sentence without a word gives NaN: it should be zeros"
    compare(
        got, np.zeros((1, 5)), [("a sentence without a word should give zeros, not the shift", shift[None])]
    )


# %% [markdown]
# ## 5 Stop in time
#
# About thirty minutes. Train for at most `most` epochs, and stop as soon as `patience` epochs in a row
# have brought no validation loss below the best one so far. An equal loss is no improvement, and neither
# is NaN. In the end the model must have the weights of its best epoch again: training changes the arrays
# in `model.weights` _in place_. Return the numbers of the best and of the last epoch, counted from 1; the
# best is 0, the start, if no epoch gave a number.
#
# `model.train_epoch()` trains for an epoch, `model.validate()` returns the validation loss, and
# `model.weights` is a dictionary of arrays.


# %%
def train_until_it_stops(model, patience, most):
    """(best epoch, last epoch), with `model.weights` as they were after the best epoch."""
    return ..., ...


# %%
class Recorder:
    """A model whose validation losses are known beforehand, and which notes what is done to it."""

    def __init__(self, losses):
        self.losses = losses
        self.weights = {"w": np.zeros(2), "b": np.zeros(1)}
        self.calls = []

    def train_epoch(self):
        assert self.calls.count("train") < len(self.losses), "training goes on after the last epoch allowed"
        self.calls.append("train")
        for weight in self.weights.values():
            weight += 1.0

    def validate(self):
        self.calls.append("validate")
        n_trained = self.calls.count("train")
        assert n_trained > 0, "validate after an epoch, not before the first"
        return self.losses[n_trained - 1]


@exercise
def check_train_until_it_stops(answer):
    nan = float("nan")

    def outcome(losses, patience):
        model = Recorder(losses)
        best, last = answer(model, patience, len(losses))
        n_trained = model.calls.count("train")
        n_looks = model.calls.count("validate")
        assert n_looks == n_trained, (
            f"{n_looks} validations for {n_trained} epochs: look once after each epoch"
        )
        assert last == n_trained, f"{n_trained} epochs were trained, but you return {last} as the last"
        return best, last, model.weights["w"][0], model.weights["b"][0]

    falling = [5.0, 4.0, 3.0, 4.0, 3.5, 3.2, 2.0, 1.0]
    best, last, w, b = outcome(falling, 2)
    assert last != 4, "with patience 2 it stops after two bad epochs, not after the first"
    assert last != 6, "with patience 2 it stops after the second bad epoch; you wait for a third"
    assert last != 8, "it never stops: epochs 4 and 5 are no better than epoch 3"
    assert last == 5, f"losses 5 4 3 4 3.5 …, patience 2: it should stop after epoch 5, not {last}"
    assert best != 2, "epochs are counted from 1"
    assert best == 3, f"the lowest loss was that of epoch 3, you return {best}"
    assert w != 5.0, (
        "the weights are those of the last epoch: copy the best ones, for training changes them in place"
    )
    assert w == 3.0 and b == 3.0, f"the weights should be those of epoch 3, and are those of epoch {w:.0f}"
    best, last, w, _ = outcome([3.0, 4.0, 2.0, 4.0, 1.0, 5.0, 5.0], 2)
    assert last != 4, "bad epochs count only in a row: an improvement starts the count again"
    assert (best, last, w) == (5, 7, 5.0), f"losses 3 4 2 4 1 5 5: best 5, last 7; you have {best} and {last}"
    best, last, _, _ = outcome([2.0, 2.0, 2.0, 2.0], 2)
    assert best == 1, "an equal loss is no improvement: the first of them is the best"
    assert last == 3, f"four equal losses, patience 2: it should stop after epoch 3, not {last}"
    best, last, w, _ = outcome([3.0, nan, 2.5, nan, nan, 1.0], 2)
    assert best != 6 and last != 6, "NaN is no improvement: two of them in a row use up a patience of 2"
    assert (best, w) == (3, 3.0), f"losses 3 nan 2.5 nan nan: the best is epoch 3, you have {best}"
    best, _, w, _ = outcome([nan, nan, nan], 2)
    assert (best, w) == (0, 0.0), "if no epoch gives a number, the best is the start, 0, with its weights"
    best, last, w, _ = outcome([3.0, 2.0, 1.0], 5)
    assert (best, last, w) == (3, 3, 3.0), "a run that improves to the end keeps its last epoch"


# %% [markdown]
# ## 6 Mixed images, mixed labels
#
# About twenty minutes. Mixup (Zhang and others 2018) trains on $\lambda_i x_i + (1 - \lambda_i) x_j$,
# where $j$ is another example of the batch, and mixes the labels in the same shares. Given $\lambda_i$ as
# `shares[i]` and the partner's place $j$ as `partners[i]`, return the mixed images and the soft labels.
# Then the mean cross-entropy of logits with such soft labels: it must stay right for logits in the
# thousands.


# %%
def mixup(x, labels, n_classes, shares, partners):
    """(images like x, soft labels (B, n_classes)) from x (B, …), labels, shares and partners, all (B,)."""
    return ..., ...


def soft_cross_entropy(logits, targets):
    """Mean cross-entropy (nats) of logits (B, K) with soft labels targets (B, K)."""
    return ...


# %%
@exercise
def check_mixup(answer):
    rng = np.random.default_rng(86)
    x, labels = rng.normal(size=(3, 2, 3)), np.array([2, 0, 0])
    shares, partners = np.array([0.9, 0.5, 0.2]), np.array([1, 2, 0])
    images, soft = answer(x, labels, 4, shares, partners)
    # the right numbers, one image after the other, from torch's straight line between two tensors
    tensors = torch.from_numpy(x)
    hot = F.one_hot(torch.from_numpy(labels), 4).double()
    right_images, right_soft, swapped_images, swapped_soft = [], [], [], []
    for own, (share, other) in enumerate(zip(shares, partners)):
        right_images.append(torch.lerp(tensors[other], tensors[own], share))
        swapped_images.append(torch.lerp(tensors[own], tensors[other], share))
        right_soft.append(torch.lerp(hot[other], hot[own], share))
        swapped_soft.append(torch.lerp(hot[own], hot[other], share))
    one_share = np.full(3, 0.5)
    signs = [
        (
            "images: the shares run along the last axis; there is one for each image",
            lambda: np.allclose(images[..., 1], answer(x, labels, 4, one_share, partners)[0][..., 1]),
        ),
        (
            "images: the own image is not weakened",
            lambda: not np.allclose(answer(x, labels, 4, one_share, np.arange(3))[0], x),
        ),
    ]
    slips = [
        (
            "images: the shares are the wrong way round: the own image gets the share",
            torch.stack(swapped_images),
        ),
        ("images: nothing is mixed", x),
    ]
    judge(images, torch.stack(right_images), signs, slips)
    slips = [
        ("labels: they are not mixed", hot),
        ("labels: those are the partners'", hot[partners]),
        ("labels: the shares are the wrong way round", torch.stack(swapped_soft)),
        ("labels: half and half; the shares of the images count", (hot + hot[partners]) / 2),
    ]
    compare(soft, torch.stack(right_soft), slips)
    assert np.allclose(soft[1], [1, 0, 0, 0]), "two images of one class keep all of their label"


@exercise
def check_soft_cross_entropy(answer):
    logits = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    targets = np.array([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5]])
    right = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
    hard = F.cross_entropy(torch.from_numpy(logits), torch.tensor([0, 1])).item()
    signs = [
        (
            "log and softmax are missing: these are plain scores",  # a softmax does not see a common term
            lambda: not np.isclose(answer(logits + 1, targets), answer(logits, targets)),
        ),
    ]
    slips = [
        ("the sign: a loss is not negative", -right),
        ("that is the sum over the examples, it should be their mean", 2 * right),
        ("that is a mean over examples and classes: sum over the classes", right / 3),
        ("only the largest label of each row counts: all of them do", hard),
    ]
    judge(answer(logits, targets), right, signs, slips)
    with np.errstate(all="ignore"):
        got = answer(np.array([[3000.0, 0.0], [0.0, -3000.0]]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert np.isfinite(got), (
        "logits in the thousands give inf or NaN: take each row's largest away first, and take the "
        "logarithm of the sum of exponentials, not of a probability, which may have become 0"
    )
    compare(got, 750.0)


# %% [markdown]
# ## 7 Five runs, five remedies
#
# About fifteen minutes. Five runs on 200 handwritten digits, with their curves on training and on 400
# validation images. Read the curves, and choose for each run what you would do next. Four of the runs have
# one thing wrong or left undone, and one is as it should be. Each remedy is used once.

# %%
REMEDIES = {
    "leave it": "dropout is active while the training loss is taken, and off while the validation loss is",
    "train longer": "both curves still fall at the end",
    "regularize": "training falls to nothing, and validation has turned round",
    "regularize less": "both curves are high, flat and close together",
    "call eval()": "the validation loss jumps from look to look, although the network hardly moves",
}
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
digits = digits[np.random.default_rng(8).permutation(len(digits))[:600]]  # (600, 65)
digit_x = torch.tensor(digits[:, :64] / 16, dtype=torch.float32)  # (600, 64)
digit_y = torch.tensor(digits[:, 64], dtype=torch.int64)  # (600,)


def train_digits(p=0.0, decay=0.0, rate=0.01, n_steps=400, forgets_eval=False):
    """Losses (n, 2) on 200 training and 400 validation digits, before every tenth step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(p), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    losses = []
    for step in range(n_steps):
        model.train()
        loss = F.cross_entropy(model(digit_x[:200]), digit_y[:200])
        if step % 10 == 0:
            model.train(forgets_eval)
            with torch.no_grad():
                losses.append((loss.item(), F.cross_entropy(model(digit_x[200:]), digit_y[200:]).item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.array(losses)


curves = {
    "A": train_digits(decay=15.0),
    "B": train_digits(p=0.9, rate=0.003, n_steps=800, forgets_eval=True),
    "C": train_digits(rate=0.1),
    "D": train_digits(p=0.9, rate=0.003, n_steps=600),
    "E": train_digits(rate=0.0005, n_steps=150),
}
fig, axes = plt.subplots(1, 5, figsize=(18, 3.6), layout="constrained")
for ax, (name, losses) in zip(axes, curves.items()):
    steps = 10 * np.arange(len(losses))
    ax.plot(steps, losses[:, 0], "C0-", label="training")
    ax.plot(steps, losses[:, 1], "C1--", label="validation")
    ax.set_title(name)
    ax.set_xlabel("steps")
axes[0].set_ylabel("cross-entropy (nats)")
axes[0].legend()
plt.show()

# %% [markdown]
# The scales of the five pictures differ. Compare the two curves of a picture first, then their ends.


# %%
def remedies():
    """For each run a name from REMEDIES."""
    return {"A": ..., "B": ..., "C": ..., "D": ..., "E": ...}


# %%
def signs(losses):
    """What can be read off a run's curves: {remedy: whether the curves ask for it}."""
    train, valid = losses[:, 0], losses[:, 1]
    half = len(losses) // 2
    jumps = np.abs(np.diff(valid[half:], n=2)).mean() / valid[half:].mean()  # a slope alone is no jump
    return {
        "train longer": train[-1] < 0.9 * train[-6] and valid[-1] < 0.9 * valid[-6],
        "regularize": train[-1] < 0.05 and valid[-1] > 1.1 * valid.min(),
        "regularize less": train[-1] > 1 and abs(valid[-1] / train[-1] - 1) < 0.1,
        "call eval()": jumps > 0.05,
        "leave it": valid[half:].mean() < train[half:].mean() and jumps < 0.05,
    }


@exercise
def check_remedies(answer):
    chosen = answer()
    for run, remedy in chosen.items():
        assert remedy in REMEDIES, f"{run}: {remedy!r} is not in REMEDIES"
        train, valid = curves[run][-1]
        assert signs(curves[run])[remedy], (
            f"{run}: {remedy!r} is for runs in which {REMEDIES[remedy]}; "
            f"this one ends at {train:.2f} in training and {valid:.2f} in validation: look again"
        )
    assert sorted(chosen.values()) == sorted(REMEDIES), "each remedy is used once"


# %% [markdown]
# ## 8 Choose, then test once
#
# About fifteen minutes. A network was trained with several strengths of weight decay and several seeds,
# and its accuracies were noted on validation and on test images. Return the strength that you would
# choose, the _one_ number that you would report, and whether the search has to go on because the choice
# lies at the edge of what was tried.


# %%
def choose_and_report(strengths, validation, test):
    """(the strength, its mean test accuracy, True if it is at an edge of strengths).

    strengths: K numbers from weak to strong; validation, test: accuracies (K, S) of K strengths, S seeds.
    """
    return ..., ..., ...


# %%
@exercise
def check_choose_and_report(answer):
    strengths = [0.0, 0.1, 1.0, 10.0]
    validation = np.array([[0.80, 0.81, 0.79], [0.84, 0.83, 0.85], [0.90, 0.78, 0.80], [0.70, 0.72, 0.74]])
    test = np.array([[0.79, 0.80, 0.78], [0.81, 0.80, 0.85], [0.88, 0.87, 0.86], [0.70, 0.70, 0.70]])
    strength, accuracy, edge = answer(strengths, validation, test)
    assert strength != 1 or not isinstance(strength, (int, np.integer)), "return the strength, not its place"
    assert strength != 1.0 or accuracy != test[2].mean(), (
        "the test set has chosen, or a single lucky seed: choose by the mean over the seeds on validation"
    )
    compare(strength, 0.1, [("a single lucky seed has chosen: take the mean over the seeds", 1.0)])
    slips = [
        ("that is the validation accuracy, and it is too good: it has chosen", validation[1].mean()),
        ("that is the best seed's; report the mean", test[1].max()),
        ("that is the first seed's; report the mean", test[1, 0]),
        ("that is the best test accuracy of all strengths: the test set has chosen", test[2].mean()),
    ]
    compare(accuracy, test[1].mean(), slips)
    assert not edge, "0.1 lies between 0 and 1: both sides of it were tried"
    strength, accuracy, edge = answer(strengths[:2], validation[:2], test[:2])
    assert edge, "the strongest decay tried was the best: it lies at the edge, and the search has to go on"
    _, _, edge = answer(strengths[1:], validation[1:], test[1:])
    assert edge, "the weakest decay tried was the best: that is an edge, too"


# %% [markdown]
# ## Where you are

# %%
print(summary())
