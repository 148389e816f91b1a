"""The exercises of chapter 11: the answers pass, stubs are 'not done yet', and known slips are named."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

# 1

BY_HAND = {
    "h_1": 4,
    "h_2": 10,
    "h_3": 32,
    "grad_h_2": 3,
    "grad_h_1": 9,
    "grad_u": 16,
    "grad_w": 22,
    "grad_x_1": 18,
}


def by_hand(**wrong):
    """An answer to exercise 1 in which some numbers are wrong."""
    return lambda: BY_HAND | wrong


# 2


def through_time(carry=1.0, slopes=True, shift=1, turn=False, flat=False, wrap=False):
    """An answer to exercise 2."""

    def answer(x, states, weight_hh, grad_states):
        before = np.vstack([states[-1:] if wrap else np.zeros_like(states[:1]), states])
        grad_ih, grad_hh = np.zeros((states.shape[1], x.shape[1])), np.zeros_like(weight_hh)
        grad_b, grad_h = np.zeros(states.shape[1]), np.zeros(states.shape[1])
        for t in reversed(range(len(x))):
            grad_h = carry * grad_h + grad_states[t]
            grad_z = grad_h * (1 - states[t] ** 2) if slopes else grad_h
            grad_ih += np.outer(grad_z, x[t])
            grad_hh += np.outer(grad_z, before[t + 1 - shift])
            grad_b += grad_z
            grad_h = (weight_hh if turn else weight_hh.T) @ grad_z
        return grad_ih.T if flat else grad_ih, grad_hh, grad_b

    return answer


# 3


def chunks(prepare, retain=False):
    """An answer to exercise 3; prepare: what becomes of the state before a chunk."""

    def answer(rnn, read_out, x, y, chunk, optimizer):
        state, losses = None, []
        for begin in range(0, len(x), chunk):
            outputs, state = rnn(x[begin : begin + chunk], None if state is None else prepare(state))
            loss = F.mse_loss(read_out(outputs), y[begin : begin + chunk])
            optimizer.zero_grad()
            loss.backward(retain_graph=retain)
            optimizer.step()
            losses.append(loss.item())
        return losses

    return answer


def cut(state):
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def full_chunks_only(rnn, read_out, x, y, chunk, optimizer):
    whole = len(x) // chunk * chunk
    return chunks(cut)(rnn, read_out, x[:whole], y[:whole], chunk, optimizer)


# 4


def outputs_and_states(lstm, x, lengths):
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return *lstm(x), lstm(packed)[1]


def ends(pick):
    """An answer to exercise 4; pick: of outputs, padded states, packed states and lengths."""

    def answer(lstm, x, lengths):
        outputs, padded, packed = outputs_and_states(lstm, x, lengths)
        return pick(outputs, padded, packed, lengths, torch.arange(len(x)))

    return answer


def beside(h):
    return torch.cat([h[0], h[1]], dim=1)


# 5


def gru(paper=lambda asked: asked, order=(0, 1, 2), swap=False, bias=True, reset=True):
    """An answer to exercise 5."""

    def answer(x, h, weight_ih, weight_hh, bias_ih, bias_hh, as_in_paper):
        n = h.shape[1]
        left, right = x @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh * bias
        (a, b), (c, d), (e, f) = [(left[:, n * i : n * i + n], right[:, n * i : n * i + n]) for i in order]
        r, z = 1 / (1 + np.exp(-a - b)), 1 / (1 + np.exp(-c - d))
        r = r if reset else 1.0
        last = slice(n * order[2], n * order[2] + n)
        inner = (r * h) @ weight_hh[last].T + bias_hh[last] * bias if paper(as_in_paper) else r * f
        new = np.tanh(e + inner)
        return z * new + (1 - z) * h if swap else (1 - z) * new + z * h

    return answer


# 6


def clipped(length=None, factor=None, skip=True, each=False, in_place=False):
    """An answer to exercise 6."""

    def answer(grads, limit):
        total = math.sqrt(sum((g**2).sum() for g in grads.values()))
        noted = total if length is None else length(grads, total, limit)
        if skip and not math.isfinite(total):
            return {name: 0 * np.nan_to_num(g) for name, g in grads.items()}, noted
        common = min(1.0, limit / total) if total else 1.0
        common = common if factor is None else factor(total, limit)
        new = {}
        for name, g in grads.items():
            own = math.sqrt((g**2).sum())
            scale = (min(1.0, limit / own) if own else 1.0) if each else common
            if in_place:
                g *= scale
            new[name] = g if in_place else scale * g
        return new, noted

    return answer


def hands_back_short_ones(grads, limit):
    """An answer to exercise 6 that returns the given arrays if nothing has to be clipped."""
    short_enough, length = clipped()(grads, limit)
    return (grads if length <= limit else short_enough), length


def each_number(grads, limit):
    return {name: np.clip(g, -limit, limit) for name, g in grads.items()}, clipped()(grads, limit)[1]


# 7


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def sampler(
    divide=True,
    heat=True,
    cut=True,
    again=True,
    kind="stable",
    smallest=False,
    zero=True,
    shift=True,
    off=False,
):
    """An answer to exercise 7."""

    def answer(logits, temperature, k):
        if temperature == 0 and zero:
            return np.eye(len(logits))[logits.argmax()]
        z = logits / temperature if divide else logits * temperature
        z = z if heat else logits
        p = softmax(z) if shift else np.exp(z) / np.exp(z).sum()
        order = np.argsort(logits if smallest else -logits, kind="stable")
        kept = order[: len(logits) - k if off and k < len(logits) else k]
        mask = np.isin(np.arange(len(logits)), kept)
        mask = logits >= logits[order[k - 1]] if kind == "threshold" else mask
        p = p * mask if cut else p
        return p / p.sum() if again else p

    return answer


# 8


def losses_of(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten().clamp(min=0), reduction="none").view(
        targets.shape
    )


def mask_of(targets, lengths):
    return torch.arange(targets.shape[1]) < lengths[:, None]


def batch_loss(reduce):
    """An answer to exercise 8; reduce: of the losses (B, T) and the mask (B, T)."""
    return lambda logits, targets, lengths: reduce(losses_of(logits, targets), mask_of(targets, lengths))


def ignores_index_only(logits, targets, lengths):
    marked = targets.masked_fill(~mask_of(targets, lengths), -100)
    return F.cross_entropy(logits.flatten(0, 1), marked.flatten(), ignore_index=-100)


def every_target(logits, targets, lengths):
    each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return each[mask_of(targets, lengths)].mean()


# 9


def lag_of(gate=lambda b: 1 / (1 + math.exp(-b)), around=lambda k: math.ceil(k) - 1):
    """An answer to exercise 9."""

    def answer(bias, least=0.01):
        f = gate(bias)
        return around(math.log(least) / math.log(f)) if 0 < f < 1 else 0

    return answer


def plain_bias(lag, least=0.01):
    f = least ** (1 / lag)
    return math.log(f / (1 - f))


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "three_steps": [
        (by_hand(h_2=-2), "h_2: the old state comes in"),
        (by_hand(h_3=2), "h_3: the old state comes in"),
        (by_hand(grad_h_2=1), "one step lies between"),
        (by_hand(grad_h_2=9), "that is two steps"),
        (by_hand(grad_h_1=3), "two steps lie between, so two factors"),
        (by_hand(grad_h_1=6), "they do not add"),
        (by_hand(grad_u=1), "only the last step's use of u"),
        (by_hand(grad_u=2), "counts by the slopes that lie after it"),
        (by_hand(grad_u=8), "grad_u: the slopes are in the wrong order"),
        (by_hand(grad_w=10), "only the last step's use of w"),
        (by_hand(grad_w=14), "each weighed by the slopes"),
        (by_hand(grad_w=98), "not those after it"),
        (by_hand(grad_x_1=2), "two steps lie between h_1 and L"),
        (by_hand(grad_x_1=9), "x_1 comes in through u"),
        (by_hand(grad_x_1=16), "that is the gradient of u"),
    ],
    "rnn_gradients": [
        (through_time(carry=0.0), "nothing comes back from the next state"),
        (through_time(slopes=False), "the slope of tanh"),
        (through_time(turn=True), "not transposed on the way back"),
        (through_time(shift=0), "multiplied by the one before"),
        (through_time(flat=True), "dL/dW_ih: it is transposed"),
        (through_time(wrap=True), "before the first step comes h_0 = 0"),
    ],
    "train_in_chunks": [
        (chunks(lambda state: state), "still holds the graph"),
        (chunks(lambda state: state, retain=True), "cut the graph"),
        (chunks(lambda state: None), "starts from zero in each chunk"),
        (chunks(lambda state: state.detach()), "an LSTM's state is a pair"),
        (full_chunks_only, "are three chunks"),
        (chunks(lambda state: state.detached()), "has no attribute 'detached'"),
    ],
    "end_states": [
        (ends(lambda out, padded, packed, n, rows: beside(padded[0])), "after the padding"),
        (
            ends(
                lambda out, padded, packed, n, rows: torch.cat([out[rows, n - 1, :3], out[:, 0, 3:]], dim=1)
            ),
            "backward began in the padding",
        ),
        (ends(lambda out, padded, packed, n, rows: out[:, -1]), "the last entry of the outputs"),
        (ends(lambda out, padded, packed, n, rows: out[rows, n - 1]), "has read one word only"),
        (
            ends(lambda out, padded, packed, n, rows: beside(packed[0].flip(0))),
            "backward stands before forward",
        ),
        (ends(lambda out, padded, packed, n, rows: beside(packed[1])), "the memory cells c"),
        (
            ends(lambda out, padded, packed, n, rows: beside(packed[0])[n.argsort(descending=True)]),
            "undo the sorting",
        ),
    ],
    "gru_step": [
        (gru(paper=lambda asked: not asked), "that is the other form"),
        (gru(paper=lambda asked: False), "paper: that is the other form"),
        (gru(swap=True), "z and 1 - z are exchanged"),
        (gru(order=(1, 0, 2)), "in the order r, z, n"),
        (gru(bias=False), "the biases beside the state"),
        (gru(reset=False), "r is not used"),
    ],
    "clip_together": [
        (clipped(length=lambda g, total, limit: total**2), "the root is missing"),
        (
            clipped(length=lambda g, total, limit: sum(math.sqrt((a**2).sum()) for a in g.values())),
            "as one vector",
        ),
        (clipped(length=lambda g, total, limit: min(total, limit)), "return the one before"),
        (clipped(each=True), "each array is clipped by itself"),
        (each_number, "each number is clipped by itself"),
        (clipped(factor=lambda total, limit: total / limit), "the wrong way round"),
        (clipped(factor=lambda total, limit: limit / total), "not stretched"),
        (clipped(in_place=True), "were changed"),
        (hands_back_short_ones, "return new ones"),
        (clipped(skip=False), "with inf in it"),
    ],
    "probabilities_of": [
        (lambda z, temperature, k: np.exp(z / temperature), "they do not add up to one"),
        (sampler(divide=False), "multiplied by the temperature"),
        (sampler(heat=False), "the temperature is not used"),
        (sampler(again=False), "softmax after the cut"),
        (sampler(cut=False), "nothing is cut off"),
        (sampler(smallest=True), "the least probable are kept"),
        (sampler(off=True), "the number that is kept"),
        (sampler(kind="threshold"), "only the first k may stay"),
        (sampler(zero=False), "a temperature of zero gives NaN"),
        (sampler(shift=False), "take the largest away"),
    ],
    "draw": [
        (lambda p, u: np.searchsorted(np.cumsum(p), u, side="left"), "more than u"),
        (lambda p, u: p.argmax(), "should pick"),
        (lambda p, u: np.searchsorted(np.cumsum(p), u, side="right"), "rounding leaves the sum below u"),
    ],
    "loss_of_batch": [
        (batch_loss(lambda each, real: each.mean()), "the padding counts, too"),
        (batch_loss(lambda each, real: (each * real).mean()), "but counted in the mean"),
        (
            batch_loss(lambda each, real: ((each * real).sum(dim=1) / real.sum(dim=1)).mean()),
            "characters of short sentences count more",
        ),
        (batch_loss(lambda each, real: each[real].sum()), "it should be the mean"),
        (batch_loss(lambda each, real: each[real].sum() / len(real)), "divided by the number of sentences"),
        (batch_loss(lambda each, real: (each * real).sum() / real.sum()), "0 times NaN is NaN"),
        (batch_loss(lambda each, real: each[real].mean()), "NaN"),
        (every_target, "are no classes"),
        (ignores_index_only, "NaN"),
    ],
    "longest_lag": [
        (lag_of(around=math.ceil), "rounded up"),
        (lag_of(gate=math.tanh), "tanh(bias) in place"),
        (lag_of(around=math.floor), "exactly a quarter is left"),
    ],
    "bias_for_lag": [
        (lambda lag, least=0.01: least ** (1 / lag), "that is the gate"),
        (lambda lag, least=0.01: -plain_bias(lag, least), "the sign"),
        (lambda lag, least=0.01: math.log(lag), "the rule of thumb"),
        (lambda lag, least=0.01: plain_bias(lag), "least is fixed"),
        (plain_bias, "use expm1"),
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
