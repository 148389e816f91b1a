"""The exercises of chapter 12: the answers pass, stubs are 'not done yet', and known slips are named."""

import numpy as np
import pytest
import torch
from torch import nn


def softmax(scores, axis=-1):
    exps = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return exps / exps.sum(axis=axis, keepdims=True)


# 1


def attention(scale=True, late=False, unmasked=False, turned=False, zero=False, axis=1, stable=True):
    """Attention with one slip."""

    def answer(query, key, value, allowed):
        scores = query @ key.T / (np.sqrt(query.shape[1]) if scale else 1)
        if not stable:
            exps = np.exp(np.where(allowed, scores, -np.inf))
            return exps / exps.sum(axis=1, keepdims=True) @ value
        if late:
            return softmax(scores) * allowed @ value
        if not unmasked:
            scores = np.where(allowed != turned, scores, 0.0 if zero else -np.inf)
        return softmax(scores, axis) @ value

    return answer


def changes_the_query(query, key, value, allowed):
    query /= np.sqrt(query.shape[1])
    return softmax(np.where(allowed, query @ key.T, -np.inf)) @ value


# 3


def reshaped(x, n_heads):
    n_batch, n, n_features = x.shape
    return x.reshape(n_batch, n_heads, n, -1), x


def interleaved(x, n_heads):
    return np.stack([x[..., h::n_heads] for h in range(n_heads)], axis=1), x


def unmoved(x, n_heads):
    return x.reshape(*x.shape[:2], n_heads, -1), x


def joined_wrong(x, n_heads):
    heads = x.reshape(*x.shape[:2], n_heads, -1).swapaxes(1, 2)
    return heads, heads.reshape(x.shape)


# 4


def sines(alternate=False, swapped=False, power=2, start=0, later=0, refuse=True):
    def answer(n, n_features, base=10000.0):
        if refuse and n_features % 2:
            raise ValueError
        i = np.arange(n_features // 2) + start
        angles = (np.arange(n) + later)[:, None] * base ** (-power * i / n_features)
        parts = [np.sin(angles), np.cos(angles)][:: -1 if swapped else 1]
        return np.stack(parts, axis=2).reshape(n, -1) if alternate else np.concatenate(parts, axis=1)

    return answer


# 5


def smoothed(other=False, only_other=False, added=False, plain=False, total=False, sign=-1, stable=True):
    def answer(logits, labels, smoothing):
        log_p = (
            np.log(softmax(logits))
            if stable
            else np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
        )
        if stable:
            shifted = logits - logits.max(axis=1, keepdims=True)
            log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        n_classes = logits.shape[1]
        hot = np.eye(n_classes)[labels]
        targets = (1 - smoothing) * hot + smoothing / n_classes
        if plain:
            targets = hot
        if other:
            targets = (1 - smoothing) * hot + smoothing / (n_classes - 1) * (1 - hot)
        if only_other:
            targets = (1 - smoothing) * hot + smoothing / n_classes * (1 - hot)
        if added:
            targets = hot + smoothing / n_classes
        losses = sign * (targets * log_p).sum(axis=1)
        return losses.sum() if total else losses.mean()

    return answer


# 6


def post_norm(x, attend, feed, norm_1, norm_2):
    x = norm_1(x + attend(x))
    return norm_2(x + feed(x))


def norm_on_stream(x, attend, feed, norm_1, norm_2):
    x = norm_1(x)
    x = x + attend(x)
    x = norm_2(x)
    return x + feed(x)


def feeds_old_stream(x, attend, feed, norm_1, norm_2):
    return x + attend(norm_1(x)) + feed(norm_2(x))


def one_sum(x, attend, feed, norm_1, norm_2):
    return feed(norm_2(x + attend(norm_1(x))))


def no_norms(x, attend, feed, norm_1, norm_2):
    x = x + attend(x)
    return x + feed(x)


def in_place(x, attend, feed, norm_1, norm_2):
    x += attend(norm_1(x))
    return x + feed(norm_2(x))


# 7


def cached(own=True, scale=True, forget=False, front=False, keep_old=False, write=False):
    def answer(x, weights, cache):
        query, key, value = (weight @ x for weight in weights)
        if write and len(cache[0]):
            cache[0][-1] = key
        parts = [part[None] for part in (key, value)]
        if forget:
            keys, values = parts
        elif front:
            keys, values = (np.concatenate([new, old]) for new, old in zip(parts, cache))
        else:
            keys, values = (np.concatenate([old, new]) for new, old in zip(parts, cache))
        seen = slice(None) if own or len(keys) == 1 else slice(0, -1)
        scores = keys[seen] @ query / (np.sqrt(len(query)) if scale else 1)
        return softmax(scores) @ values[seen], (cache if keep_old else (keys, values))

    return answer


# 2, 8, 9: the right answers, and what may be wrong with each

COUNTS = {"causal": 10, "window": 7, "packed": 9, "padded": 24, "library": 6}
MERGES = {"first": "ab", "first_count": 3, "second": "bc", "second_count": 2, "tokens": "ab c b"}
FAULTS = dict.fromkeys("ABCFGI", "right") | {
    "D": "wrong axis",
    "E": "peeks",
    "H": "mixes heads",
    "J": "wrong target",
}


def changed(right, **wrong):
    return lambda: right | wrong


# 10


def wrong_layer(order=("query", "key", "value"), biases=True, n_heads=None, **options):
    """The library's layer with one slip."""

    def answer(weights, heads):
        defaults = {"dropout": 0.0, "batch_first": True, "norm_first": True, "dtype": torch.float64}
        layer = nn.TransformerEncoderLayer(6, n_heads or heads, 24, **(defaults | options))
        state = {"self_attn.in_proj_weight": torch.cat([weights[name] for name in order])}
        state["self_attn.in_proj_bias"] = torch.cat([weights[f"{name}_bias"] for name in order])
        places = {"self_attn.out_proj": "out", "linear1": "hidden", "linear2": "back"}
        for place, name in (places | {"norm1": "norm_1", "norm2": "norm_2"}).items():
            state[f"{place}.weight"] = weights[name]
            state[f"{place}.bias"] = weights[f"{name}_bias"]
        if not biases:
            state |= {k: torch.zeros_like(v) for k, v in state.items() if "bias" in k and "norm" not in k}
        layer.load_state_dict(state)
        return layer

    return answer


def layer_through_float32(weights, heads):
    """The library's layer, float64, with weights that have been rounded to float32 on the way."""
    return wrong_layer()({name: part.float().double() for name, part in weights.items()}, heads)


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "masked_attention": [
        (attention(scale=False), "not divided by the square root"),
        (attention(late=True), "masked after the softmax"),
        (attention(unmasked=True), "the mask is not used"),
        (attention(turned=True), "turned round"),
        (attention(zero=True), "a score of zero is not hidden"),
        (attention(axis=0), "ran over the queries"),
        (attention(stable=False), "take each query's largest away"),
        (changes_the_query, "changed an array"),
    ],
    "mask_counts": [
        (changed(COUNTS, causal=6), "may attend to itself"),
        (changed(COUNTS, window=4), "two for each word"),
        (changed(COUNTS, packed=15), "may not see the first"),
        (changed(COUNTS, padded=20), "queries at padded places"),
        (changed(COUNTS, padded=32), "are not hidden"),
        (changed(COUNTS, library=10), "true means blocked"),
    ],
    "split_and_join": [
        (reshaped, "without moving an axis"),
        (interleaved, "every second feature"),
        (unmoved, "stands behind the words"),
        (joined_wrong, "without moving the head axis back"),
    ],
    "halved_sinusoids": [
        (sines(alternate=True), "in two halves"),
        (sines(swapped=True), "cosines come second"),
        (sines(power=1), "−2i/D, not −i/D"),
        (sines(start=1), "i counts from zero"),
        (sines(later=1), "the first row is position zero"),
        (sines(refuse=False), "make no pairs"),
    ],
    "smoothed_cross_entropy": [
        (smoothed(plain=True), "without smoothing"),
        (smoothed(other=True), "the right one too"),
        (smoothed(only_other=True), "also gets its"),
        (smoothed(added=True), "not one plus that"),
        (smoothed(total=True), "the loss is their mean"),
        (smoothed(sign=1), "sign is turned round"),
        (smoothed(stable=False), "take each row's largest away"),
    ],
    "pre_norm_block": [
        (post_norm, "that is post-norm"),
        (norm_on_stream, "put on the stream"),
        (feeds_old_stream, "the stream after attention"),
        (one_sum, "the second sum is missing"),
        (no_norms, "without norms"),
        (in_place, "make a new one"),
    ],
    "cached_step": [
        (cached(own=False), "attend to itself, too"),
        (cached(scale=False), "not divided by the square root"),
        (cached(forget=True), "the cache is not used"),
        (cached(front=True), "must stand at the end"),
        (cached(keep_old=True), "must hold 1 keys"),
        (cached(write=True), "has changed: make new arrays"),
    ],
    "merges_by_hand": [
        (changed(MERGES, first="ba"), "more often"),
        (changed(MERGES, first="bc"), "the alphabet decides"),
        (changed(MERGES, first_count=2), "both count"),
        (changed(MERGES, second="abc"), "count the pairs again"),
        (changed(MERGES, second_count=3), "belongs to the merged token"),
        (changed(MERGES, tokens="a bc b"), "in the order in which"),
    ],
    "four_faults": [
        (changed(FAULTS, F="peeks"), "F is right"),
        (changed(FAULTS, D="right"), "q.shape[1]"),
        (changed(FAULTS, E="right"), "triu(2)"),
        (changed(FAULTS, H="wrong axis"), "H is a fault, but another one"),
        (changed(FAULTS, J="right"), "the logit of place 0"),
        (changed(FAULTS, J="peek"), "none of the names"),
    ],
    "library_block": [
        (wrong_layer(norm_first=False), "that is post-norm"),
        (wrong_layer(order=("key", "query", "value")), "another order"),
        (wrong_layer(biases=False), "biases were not copied"),
        (wrong_layer(n_heads=1), "the number of heads"),
        (wrong_layer(batch_first=False), "along the batch"),
        (wrong_layer(dropout=0.1), "there is dropout in it"),
        (layer_through_float32, "went through float32"),
        (lambda weights, n_heads: nn.Linear(6, 6), "the library's layer itself"),
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
    with np.errstate(all="ignore"):
        assert says in exercises.verdict_on(name, wrong)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)
