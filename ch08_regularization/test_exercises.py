"""The exercises of chapter 8: the answers pass, stubs are 'not done yet', and known slips are named."""

import math

import numpy as np
import pytest

# 1


def dropped(
    y_scale=lambda p: 1 / (1 - p), x_scale=lambda p: 1 / (1 - p), keep=lambda u, p: u >= p, p_one=True
):
    """An answer to exercise 1 with these scales of output and gradient."""

    def answer(x, grad_y, u, p, training):
        if not training:
            return x, grad_y
        if p == 1 and p_one:
            return 0.0 * x, 0.0 * x
        return x * keep(u, p) * y_scale(p), grad_y * keep(u, p) * x_scale(p)

    return answer


def always_drops(x, grad_y, u, p, training):
    return dropped()(x, grad_y, u, p, True)


def scales_in_evaluation(x, grad_y, u, p, training):
    return dropped()(x, grad_y, u, p, True) if training else (x * (1 - p), grad_y)


def drops_in_place(x, grad_y, u, p, training):
    if training and p < 1:
        x *= (u >= p) / (1 - p)
    return x, grad_y


def masks_the_gradient_in_place(x, grad_y, u, p, training):
    y, grad_x = dropped()(x, grad_y, u, p, training)
    grad_y[...] = grad_x
    return y, grad_y


def open_gradient(x, grad_y, u, p, training):
    y, _ = dropped()(x, grad_y, u, p, training)
    return y, grad_y / (1 - p) if training and p < 1 else grad_y


def cuts_whole_numbers_off(x, grad_y, u, p, training):
    y, grad_x = dropped()(x, grad_y, u, p, training)
    return y.astype(x.dtype), grad_x


# 2


def adam(
    in_loss=1.0,
    shrink=lambda rate, decay: 1 - rate * decay,
    both=False,
    late=False,
    bias=True,
    in_place=False,
):
    """An answer to exercise 2: the share of the penalty in g, and the factor of a decoupled step."""

    def answer(w, g, m, v, t, rate, decay, decoupled, betas=(0.9, 0.999), eps=1e-8):
        factor = shrink(rate, decay) if decoupled or both else 1.0
        if in_place:
            w *= 1.0000001
        if not decoupled or both:
            g = g + in_loss * decay * w
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        first, second = (m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)) if bias else (m, v)
        change = rate * first / (np.sqrt(second) + eps)
        return (w - change) * factor if late else w * factor - change, m, v

    return answer


def fixed(betas=None, eps=None):
    """An answer to exercise 2 that does not look at the betas that it is given, or at eps."""

    def answer(*args, **settings):
        if betas:
            settings["betas"] = betas
        if eps:
            settings["eps"] = eps
        return adam()(*args, **settings)

    return answer


def betas_swapped(*args, betas=(0.9, 0.999), **settings):
    return adam()(*args, betas=betas if betas[0] == 0.9 else betas[::-1], **settings)


def eps_inside(w, g, m, v, t, rate, decay, decoupled, betas=(0.9, 0.999), eps=1e-8):
    second = (betas[1] * v + (1 - betas[1]) * g * g) / (1 - betas[1] ** t)
    eps = (np.sqrt(second + eps) - np.sqrt(second)) if eps > 1e-6 else eps
    return adam()(w, g, m, v, t, rate, decay, decoupled, betas, eps)


def never_decoupled(w, g, m, v, t, rate, decay, decoupled):
    return adam()(w, g, m, v, t, rate, decay, False)


def always_decoupled(w, g, m, v, t, rate, decay, decoupled):
    return adam()(w, g, m, v, t, rate, decay, True)


# 3


def remembered(share=lambda momentum: momentum, ddof=1, var=1.0, refuse=True):
    """An answer to exercise 3."""

    def answer(batches, momentum=0.1):
        mean, variance = np.zeros(3), np.full(3, var)
        for batch in batches:
            if len(batch) < 2 and refuse:
                raise ValueError("one row")
            mean = mean + share(momentum) * (batch.mean(axis=0) - mean)
            with np.errstate(all="ignore"):
                unbiased = batch.var(axis=0) * len(batch) / (np.float64(len(batch)) - ddof)
            variance = variance + share(momentum) * (unbiased - variance)
        return mean, variance

    return answer


def skips_single_rows(batches, momentum=0.1):
    return remembered()([batch for batch in batches if len(batch) > 1], momentum)


def all_rows(batches, momentum=0.1):
    rows = np.concatenate(batches)
    return rows.mean(axis=0), rows.var(axis=0)


# 4


def pooled(over=-1, ddof=0, outside=False, eps_too=True, mask=True, divide="own", affine=True, empty=1):
    """An answer to exercise 4."""

    def answer(x, lengths, gain, shift, eps=1e-5):
        deviation = x - x.mean(axis=over, keepdims=True)
        variance = x.var(axis=over, keepdims=True, ddof=ddof)
        spread = np.sqrt(variance) + eps if outside else np.sqrt(variance + eps * eps_too)
        y = deviation / spread
        if affine:
            y = gain * y + shift
        real = np.arange(x.shape[1]) < lengths[:, None]
        if not mask:
            return y.mean(axis=1)
        total = (y * real[:, :, None]).sum(axis=1)
        own = np.maximum(lengths, empty)[:, None]
        return total / {"own": own, "T": x.shape[1], "none": 1}[divide]

    return answer


def shift_for_none(x, lengths, gain, shift, eps=1e-5):
    return np.where(lengths[:, None] > 0, pooled()(x, lengths, gain, shift, eps), shift)


def zeroes_the_padding(x, lengths, gain, shift, eps=1e-5):
    x *= (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]
    return pooled()(x, lengths, gain, shift, eps)


# 5


def stops(
    better=lambda loss, lowest: loss < lowest,
    wait=0,
    restore=True,
    copy=True,
    forever=False,
    reset=True,
    first=1,
):
    """An answer to exercise 5."""

    def answer(model, patience, most):
        def kept():
            return {name: w.copy() if copy else w for name, w in model.weights.items()}

        lowest, best, last, bad, weights = math.inf, 0, 0, 0, kept()
        while last < most and (bad < patience + wait or forever):
            model.train_epoch()
            last += 1
            loss = model.validate()
            if better(loss, lowest):
                lowest, best, weights = loss, last, kept()
                bad = 0 if reset else bad
            else:
                bad += 1
        for name, weight in weights.items() if restore else ():
            model.weights[name][...] = weight
        return best + first - 1 if best else 0, last

    return answer


def looks_twice(model, patience, most):
    model.train_epoch()
    model.validate()
    model.validate()
    return 1, 1


# 6


def mixed(own=lambda s: s, for_labels=None, along_last=False, hard=False, half=False):
    """An answer to exercise 6."""

    def answer(x, labels, n_classes, shares, partners):
        hot = np.eye(n_classes)[labels]
        s = own(shares)
        wide = s if along_last else s.reshape(-1, *[1] * (x.ndim - 1))
        t = (s if for_labels is None else for_labels(shares))[:, None]
        soft = hot if hard else (hot + hot[partners]) / 2 if half else t * hot + (1 - t) * hot[partners]
        return wide * x + (1 - wide) * x[partners], soft

    return answer


def log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def unshifted(z, t):
    return -(t * np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))).sum(axis=1).mean()


# 7


RIGHT = {"A": "regularize less", "B": "call eval()", "C": "regularize", "D": "leave it", "E": "train longer"}


def chosen(**wrong):
    """An answer to exercise 7 in which some remedies are wrong."""
    return lambda: RIGHT | wrong


# 8


def reported(
    by=lambda validation, test: validation.mean(axis=1), what=lambda validation, test, k: test[k].mean()
):
    """An answer to exercise 8: the table that chooses, and the number that is reported."""

    def answer(strengths, validation, test):
        k = int(by(validation, test).argmax())
        return strengths[k], what(validation, test, k), k in (0, len(strengths) - 1)

    return answer


def place_for_strength(strengths, validation, test):
    k = int(validation.mean(axis=1).argmax())
    return k, test[k].mean(), k in (0, len(strengths) - 1)


def one_edge_only(strengths, validation, test):
    strength, accuracy, _ = reported()(strengths, validation, test)
    return strength, accuracy, strength == strengths[-1]


def no_edge(strengths, validation, test):
    return *reported()(strengths, validation, test)[:2], False


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "dropout_both_ways": [
        (dropped(y_scale=lambda p: 1), "the output is not scaled"),
        (dropped(y_scale=lambda p: 1 / p), "scaled by 1/p"),
        (dropped(y_scale=lambda p: 1 - p), "scaled by 1 - p"),
        (dropped(keep=lambda u, p: u < p), "the wrong entries are dropped"),
        (lambda x, g, u, p, training: (x, g), "nothing is dropped"),
        (open_gradient, "goes through dropped entries"),
        (dropped(x_scale=lambda p: 1), "masked but not scaled"),
        (dropped(x_scale=lambda p: (1 - p) ** -2), "is squared"),
        (lambda x, g, u, p, training: (dropped()(x, g, u, p, training)[0], g), "passed on as it came: apply"),
        (scales_in_evaluation, "in evaluation nothing is dropped"),
        (always_drops, "in evaluation"),
        (dropped(p_one=False), "p = 1 divides by zero"),
        (cuts_whole_numbers_off, "whole numbers come out whole"),
        (drops_in_place, "an array that was given has changed"),
        (masks_the_gradient_in_place, "an array that was given has changed"),
        (lambda x, g, u, p, training: (..., g), "not done yet"),
    ],
    "adam_step": [
        (adam(bias=False), "not divided by 1 - beta^t"),
        (adam(in_loss=0.0), "is missing in g"),
        (adam(in_loss=2.0), "without a 2"),
        (adam(in_loss=-1.0), "the wrong sign"),
        (adam(both=True), "the penalty acts twice"),
        (always_decoupled, "the penalty belongs into g"),
        (never_decoupled, "where Adam divides it away"),
        (adam(shrink=lambda rate, decay: 1.0), "the weights do not shrink"),
        (adam(shrink=lambda rate, decay: 1 - decay), "the rate is missing"),
        (adam(late=True), "after Adam's step"),
        (adam(in_place=True), "an array that was given has changed"),
        (fixed((0.9, 0.999), 1e-8), "betas and eps are fixed"),
        (fixed((0.9, 0.999)), "betas are fixed"),
        (fixed(eps=1e-8), "eps is fixed"),
        (eps_inside, "eps stands inside the square root"),
        (betas_swapped, "betas are the wrong way round"),
    ],
    "running_statistics": [
        (remembered(share=lambda momentum: 1 - momentum), "not what is kept"),
        (remembered(ddof=0), "it is divided by n"),
        (remembered(var=0.0), "it starts at one"),
        (remembered(share=lambda momentum: 0.1), "momentum is fixed"),
        (remembered(refuse=False), "running variance NaN"),
        (skips_single_rows, "raise a ValueError"),
        (all_rows, "the mean of all rows"),
        (lambda b, momentum=0.1: (b[-1].mean(axis=0), b[-1].var(axis=0)), "the last batch's own"),
    ],
    "norm_and_pool": [
        (pooled(mask=False), "runs over the padding, too"),
        (pooled(divide="T"), "divided by T"),
        (pooled(divide="none"), "not their mean"),
        (pooled(ddof=1), "not by D - 1"),
        (pooled(over=1), "each place is normalized by itself"),
        (pooled(over=0), "that is batch norm"),
        (pooled(over=(1, 2)), "padding leaks in"),
        (pooled(affine=False), "gain and shift are missing"),
        (pooled(outside=True), "outside the square root"),
        (pooled(eps_too=False), "eps is missing"),
        (pooled(empty=0), "gives NaN"),
        (shift_for_none, "not the shift"),
        (zeroes_the_padding, "changed the array"),
    ],
    "train_until_it_stops": [
        (stops(wait=-1), "not after the first"),
        (stops(wait=1), "you wait for a third"),
        (stops(forever=True), "it never stops"),
        (stops(restore=False), "those of the last epoch"),
        (stops(copy=False), "copy the best ones"),
        (stops(reset=False), "an improvement starts the count again"),
        (stops(better=lambda loss, lowest: loss <= lowest), "an equal loss is no improvement"),
        (stops(better=lambda loss, lowest: not loss >= lowest), "NaN is no improvement"),
        (stops(first=0), "counted from 1"),
        (looks_twice, "look once after each epoch"),
    ],
    "mixup": [
        (mixed(along_last=True, for_labels=lambda s: s), "there is one for each image"),
        (mixed(own=lambda s: 1 - s), "images: the shares are the wrong way round"),
        (mixed(own=lambda s: 1.0 + 0 * s), "nothing is mixed"),
        (mixed(for_labels=lambda s: 1 - s), "labels: the shares are the wrong way round"),
        (mixed(hard=True), "labels: they are not mixed"),
        (mixed(half=True), "half and half"),
        (mixed(for_labels=lambda s: 0 * s), "those are the partners'"),
    ],
    "soft_cross_entropy": [
        (lambda z, t: (t * log_softmax(z)).sum(axis=1).mean(), "a loss is not negative"),
        (lambda z, t: -(t * log_softmax(z)).sum(), "it should be their mean"),
        (lambda z, t: -(t * log_softmax(z)).mean(), "sum over the classes"),
        (lambda z, t: -np.mean(log_softmax(z)[np.arange(len(z)), t.argmax(axis=1)]), "all of them do"),
        (lambda z, t: -(t * z).sum(axis=1).mean(), "log and softmax are missing"),
        (unshifted, "take each row's largest"),
        (lambda z, t: -(t * np.log(np.exp(log_softmax(z)))).sum(axis=1).mean(), "not of a probability"),
    ],
    "remedies": [
        (chosen(A="regularize", C="regularize less"), "A: 'regularize' is for runs"),
        (chosen(B="leave it", D="call eval()"), "B: 'leave it' is for runs"),
        (chosen(C="train longer", E="regularize"), "C: 'train longer' is for runs"),
        (chosen(E="leave it"), "E: 'leave it' is for runs"),
        (chosen(D="stop"), "'stop' is not in REMEDIES"),
    ],
    "choose_and_report": [
        (reported(by=lambda validation, test: test.mean(axis=1)), "the test set has chosen"),
        (reported(by=lambda validation, test: validation.max(axis=1)), "a single lucky seed"),
        (reported(what=lambda validation, test, k: validation[k].mean()), "too good"),
        (reported(what=lambda validation, test, k: test[k].max()), "the best seed's"),
        (reported(what=lambda validation, test, k: test[k, 0]), "the first seed's"),
        (reported(what=lambda validation, test, k: test.mean(axis=1).max()), "of all strengths"),
        (place_for_strength, "not its place"),
        (one_edge_only, "that is an edge, too"),
        (no_edge, "the search has to go on"),
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
