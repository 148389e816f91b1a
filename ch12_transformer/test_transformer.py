"""Chapter 12: what the lessons computed, and how fast their kernels are."""

import datetime
import math
import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def why_attention(lesson):
    return lesson("why_attention")


@pytest.fixture
def self_attention(lesson):
    return lesson("self_attention")


@pytest.fixture
def multi_head_attention(lesson):
    return lesson("multi_head_attention")


@pytest.fixture
def positional_encoding(lesson):
    return lesson("positional_encoding")


@pytest.fixture
def encoder_block(lesson):
    return lesson("encoder_block")


@pytest.fixture
def tokenization_bpe(lesson):
    return lesson("tokenization_bpe")


@pytest.fixture
def mini_transformer(lesson):
    return lesson("mini_transformer")


@pytest.fixture
def language_model(lesson):
    return lesson("language_model")


TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "why_attention": [
        {"change": {"return x, x.flip(1)": "return x, x.clone()"}, "figure": 3},
        {"change": {"NARROW = 4 ": "NARROW = 16 "}, "figure": 2, "prints": "bottleneck of 16"},
        {
            "add": """def dot_attention(query, keys):
    weights = (query @ keys.mT).softmax(dim=-1)
    return weights @ keys, weights


dot_query, dot_keys = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
dot_context, dot_weights = dot_attention(dot_query, dot_keys)
torch.testing.assert_close(
    dot_context, F.scaled_dot_product_attention(dot_query, dot_keys, dot_keys, scale=1.0)
)
print("dot attention agrees", tuple(dot_weights.shape))""",
            "prints": "dot attention agrees (2, 3, 5)",
        },
    ],
    "self_attention": [
        {"change": {"[[1, 0, 2], [0, 1, 0], [0, 0, 0],": "[[1, 0, 2], [0, 1, 0], [0, 0.5, 0],"}, "figure": 2},
        {
            "change": {
                "    letters = np.zeros((len(names), max(map(len, names)), 26))": (
                    "    letters = np.full((len(names), max(map(len, names)), 26), np.nan)"
                ),
                "    for b, name in enumerate(names):\n": (
                    "    for b, name in enumerate(names):\n        letters[b, : len(name)] = 0\n"
                ),
            },
            "prints": "jonah in the batch and alone differ by nan",
            "raises": "Not equal to tolerance",
        },
        {
            "add": """def window_mask(n, width):
    t = np.arange(n)
    back = t[:, None] - t
    return (back >= 0) & (back < width)


for n in (1000, 2000):
    print(n, "positions:", window_mask(n, 100).sum(), "and", np.tri(n, dtype=bool).sum())
x_window = rng.normal(size=(1, 50, 8))
out_window, _ = attention(x_window, x_window, x_window, window_mask(50, 60))
np.testing.assert_allclose(out_window, attention_blockwise(x_window, x_window, x_window, True))""",
            "prints": "1000 positions: 95050 and 500500",
        },
    ],
    "multi_head_attention": [
        {
            "change": {
                "y = torch.cat([vectors[rows, hunter], vectors[rows, prey]], dim=1)": (
                    "y = vectors[rows, prey].repeat(1, 2)"
                )
            },
            "raises": "with one head the error stays at a half",
        },
        {
            "change": {
                "self.read_out = nn.Linear(n_features, n_out)": (
                    "self.read_out = nn.Linear(n_features, n_out)\n"
                    "        self.attention.project_out = nn.Identity()"
                )
            },
            "prints": "heads 2   parameters 3884",
        },
        {
            "after": "def look_up_loss(model, generator):",
            "add": """def three_look_ups(batch_size, generator, n_items=8, size=6):
    vectors = torch.randn(batch_size, n_items, size, generator=generator)
    order = torch.rand(batch_size, n_items, generator=generator).argsort(dim=1)
    rows = torch.arange(batch_size)
    x = torch.zeros(batch_size, n_items + 1, size + 4)
    x[:, :-1, :size] = vectors
    for k in range(3):
        x[rows, order[:, k], size + k] = 1.0
    x[:, -1, size + 3] = 1.0
    return x, torch.cat([vectors[rows, order[:, k]] for k in range(3)], dim=1)


def three_loss(model, generator):
    x, y = three_look_ups(64, generator)
    return F.mse_loss(model(x), y)


three_errors = []
for n_heads in (1, 2, 4):
    torch.manual_seed(0)
    three_model = LookUp(n_heads, 10, 32, 18)
    fit(three_model, three_loss, 0, 200)
    with torch.no_grad():
        x, y = three_look_ups(2000, torch.Generator().manual_seed(99))
        three_errors.append(F.mse_loss(three_model(x), y).item())
print("three answers:", [round(error, 1) for error in three_errors])""",
            "prints": "three answers: [0.7, 0.3, 0.0]",
        },
    ],
    "encoder_block": [
        {
            "change": {
                "stream = block(stream, mask)": (
                    "stream = block(stream, torch.eye(x.shape[1], dtype=torch.bool))"
                )
            },
            "figure": 2,
        },
        {
            "change": {"learning_rate=0.005, n_warmup=n_warmup": "learning_rate=0.0005, n_warmup=n_warmup"},
            "figure": 3,
        },
        {
            "add": """class ParallelBlock(EncoderBlock):
    def forward(self, x, mask=None):
        normed = self.attention_norm(x)
        heard = self.dropout(self.attention(normed, normed, mask))
        return x + heard + self.dropout(self.feed_forward(normed))


parallel_x = torch.randn(2, 5, 8)
for block in (EncoderBlock(8, 2, 32, dropout=1.0), ParallelBlock(8, 2, 32, dropout=1.0)):
    print(type(block).__name__, "untouched:", torch.equal(block(parallel_x), parallel_x))""",
            "prints": "ParallelBlock untouched: True",
        },
    ],
    "tokenization_bpe": [
        {"change": {'r" ?[^\\W\\d_]+"': 'r"[^\\W\\d_]+"'}, "figure": 2},
        {
            "change": {"n_train = len(text) * 9 // 10": "n_train = len(text) // 10"},
            "raises": "the last tenth is cut nearly as well as the training text",
        },
        {
            "add": """def count_tokens(string):
    return len(tokenizer.encode(string))


long_words = {word for word in re.findall(r"[a-z]{8,}", test_text)}
worst = max(sorted(long_words), key=lambda word: count_tokens(" " + word) / len(word))
print("most tokens per letter:", worst, count_tokens(" " + worst))""",
            "prints": "most tokens per letter:",
        },
    ],
    "mini_transformer": [
        {"change": {"N_TRAINED = 8  #": "N_TRAINED = 9  #"}, "figure": 1},
        {"change": {"SMOOTHING = 0.1": "SMOOTHING = 0.0"}, "figure": 1, "prints": "smoothed loss is 0.000"},
        {
            "add": """own_texts = []
for date in test_dates[:100]:
    own_texts.append(f"{date.year} {MONTHS[date.month - 1]} {date.day}")
own_written = [decode(row) for row in greedy(model, encode(own_texts)).tolist()]
own_dates = [date.isoformat() for date in test_dates[:100]]
print("own form:", sum(a == b for a, b in zip(own_written, own_dates)), "of 100 right")
for part, place in PARTS.items():
    print(part, sum(a[place] == b[place] for a, b in zip(own_written, own_dates)))""",
            "prints": "of 100 right",
        },
    ],
    "language_model": [
        {
            "change": {"dropout_p=dropout, is_causal=True)": "dropout_p=dropout, is_causal=False)"},
            "prints": "predictions that changed, at positions [0, 1, 2, 3, 4, 5, 6, 7, 8]",
            "raises": "AssertionError",
        },
        {
            "change": {
                "next_letter(writer, text, temperature=0.6)": "next_letter(writer, text, temperature=1.5)"
            },
            "raises": "a lower temperature repeats more real names",
        },
        {
            "add": """def complete(text):
    while len(text) < N_PLACES - 1:
        symbol = SYMBOLS[next_letter(writer, text).argmax()]
        if symbol == ">":
            break
        text += symbol
    return text


print("completed:", [complete(text) for text in ("a", "mar", "joh")])""",
            "prints": "completed: ['a",
        },
    ],
    "positional_encoding": [
        {"change": {"LAG = 3  #": "LAG = 6  #"}, "figure": 2},
        {"change": {"10000.0 ** (-np.arange(": "10.0 ** (-np.arange("}, "figure": 1},
        {
            "add": """order = torch.randperm(TRAINED - 1, generator=torch.Generator().manual_seed(0))
mixed = torch.cat([short_letters[:, order], short_letters[:, -1:]], dim=1)
changed_answers = {}
for name, trained in readers.items():
    with torch.no_grad():
        before, after = (trained[0](x)[:, -1].argmax(dim=-1) for x in (short_letters, mixed))
    changed_answers[name] = (before != after).sum().item()
print(changed_answers)
assert min(changed_answers[name] for name in ("sines", "learned", "rotary")) > 40""",
            "prints": "{'none': 0, ",
        },
    ],
}


# 12.1 why_attention


def test_rounds_to_reach_on_paths_counted_by_hand(why_attention):
    ring = np.zeros((5, 5), dtype=bool)
    ring[[0, 4, 3], [1, 0, 4]] = True  # 0 -> 4 directly, 1 -> 0, 4 -> 3
    assert why_attention.rounds_to_reach(ring) == 1
    chain = np.eye(6, k=-1, dtype=bool)
    chain[4, 1] = True  # one shortcut: 0, 1, 4, 5
    assert why_attention.rounds_to_reach(chain) == 3
    assert why_attention.rounds_to_reach(np.eye(1, dtype=bool)) == 0
    with pytest.raises(ValueError, match="element 5 never hears"):
        why_attention.rounds_to_reach(chain.T)


def test_reading_step_by_step_matches_nn_rnn(why_attention):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(7, 5)), rng.normal(size=(5, 5))
    cell = nn.RNN(5, 5, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih_l0.copy_(torch.eye(5, dtype=torch.float64))
        cell.weight_hh_l0.copy_(torch.from_numpy(weight))
        expected = cell(torch.from_numpy(x)[None])[0][0]
    ours = why_attention.read_step_by_step(x, weight)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


def test_average_by_likeness_matches_the_library(why_attention):
    x = torch.randn(3, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.scaled_dot_product_attention(x, x, x, scale=1 / 4)
    torch.testing.assert_close(why_attention.average_by_likeness(x), expected)
    np.testing.assert_allclose(why_attention.read_at_once(x[0].numpy()), expected[0], rtol=1e-10, atol=1e-12)
    loud = 100 * x  # scores beyond what exp can take
    expected = F.scaled_dot_product_attention(loud, loud, loud, scale=1 / 4)
    np.testing.assert_allclose(why_attention.read_at_once(loud[0].numpy()), expected[0], rtol=1e-10)


def test_gradient_by_distance_of_a_known_loop(why_attention):
    weights = 0.5 ** torch.arange(9.0)  # the last output is x[n - 1] + x[n - 2] / 2 + x[n - 3] / 4 + ...
    sizes = why_attention.gradient_by_distance(
        lambda x: (x * weights.flip(0)[:, None]).sum(1, keepdim=True), 9, 3
    )
    np.testing.assert_allclose(sizes / sizes[0], weights, rtol=1e-5)


@pytest.mark.parametrize("n_batch, n_queries, n_keys, n_hidden", [(1, 1, 1, 1), (2, 5, 3, 4), (3, 2, 7, 6)])
def test_additive_attention_matches_its_loops(why_attention, n_batch, n_queries, n_keys, n_hidden):
    torch.manual_seed(n_keys)
    layer = why_attention.AdditiveAttention(n_hidden).double()
    with torch.no_grad():
        layer.score.weight *= 1e4  # scores beyond what exp can take
    query = torch.randn(n_batch, n_queries, n_hidden, dtype=torch.float64)
    keys = torch.randn(n_batch, n_keys, n_hidden, dtype=torch.float64)
    query_weight, key_weight, v = (parameter.detach().numpy() for parameter in layer.parameters())
    results = layer(query, keys)
    for b in range(n_batch):
        expected = why_attention.additive_attention(
            query[b].numpy(), keys[b].numpy(), query_weight, key_weight, v[0]
        )
        for ours, theirs in zip(results, expected, strict=True):
            np.testing.assert_allclose(ours[b].detach(), theirs, rtol=1e-10, atol=1e-12)


def test_answers_step_by_step_are_what_teacher_forcing_gives(why_attention):
    for model in why_attention.models.values():
        x, _ = why_attention.reversals(5, 7, torch.Generator().manual_seed(4))
        written, weights = why_attention.answer(model, x)
        with torch.no_grad():
            np.testing.assert_array_equal(model(x, written).argmax(dim=-1), written)
        if weights is not None:
            torch.testing.assert_close(weights.sum(dim=-1), torch.ones(5, 7))
    x, y = why_attention.reversals(3, 4, torch.Generator().manual_seed(4))
    np.testing.assert_array_equal(x.numpy()[:, ::-1], y)
    for make in (why_attention.Bottleneck, why_attention.Attentive):  # "Try it" widens them
        assert make(n_hidden=16)(x, y).shape == (3, 4, 10)


def test_teacher_forcing_shows_the_answer_one_step_late(why_attention):
    x, y = why_attention.reversals(2, 5, torch.Generator().manual_seed(1))
    other = y.clone()
    other[:, 3] = (y[:, 3] + 1) % 10
    for model in why_attention.models.values():
        with torch.no_grad():
            moved = (model(x, y) - model(x, other)).abs().amax(dim=(0, 2))
        assert not moved[:4].any() and moved[4] > 0
    bottleneck = why_attention.models[why_attention.wide]
    states, h = bottleneck.encode(x)
    logits = bottleneck.decode(states, h, y)[0]
    torch.testing.assert_close(
        bottleneck.decode(torch.zeros_like(states), h, y)[0], logits
    )  # h is all it has


def test_training_and_size_both_limit_the_bottleneck(why_attention):
    narrow, wide, attentive = why_attention.accuracy.values()
    assert all(shares.shape == (2, 8) for shares in (narrow, wide, attentive))
    six = why_attention.test_lengths.index(6)
    assert wide[0, six] + 0.1 < wide[1, six] and narrow[1, six] + 0.2 < wide[1, six]
    for shares in (narrow[1], wide[0], attentive[0]):
        assert shares[0] > shares[six] > shares[-1]  # what is lost grows with the length
    shares = [why_attention.share_right(model, 6) for model in why_attention.models.values()]
    np.testing.assert_allclose(shares, [narrow[1, six], wide[1, six], attentive[1, six]])
    assert attentive[1, six] > 0.93 and why_attention.on_average.max() <= 1


def test_a_sharp_look_up_is_a_dictionary(why_attention):
    keys, values = np.eye(4), np.random.default_rng(0).normal(size=(4, 3))
    for key, value in zip(keys, values):
        np.testing.assert_allclose(why_attention.soft_look_up(key, keys, values, 1e4), value)
    np.testing.assert_allclose(why_attention.soft_look_up(keys[0], keys, values, 0), values.mean(axis=0))
    weights = np.exp(2 * keys @ [0.3, 0, 1, 2])  # (4, 4) @ (4,) -> (4,)
    found = why_attention.soft_look_up(np.array([0.3, 0, 1, 2]), keys, values, 2)
    np.testing.assert_allclose(found, weights @ values / weights.sum(), rtol=1e-10)


# 12.2 self_attention


ATTENTION_SHAPES = [((1, 1), 1, 1, 1, 1), ((2, 3), 7, 5, 3, 4), ((3,), 5, 11, 8, 2), ((2, 1), 1, 6, 4, 4)]


def attention_inputs(leading, n_queries, n_keys, d, n_values):
    """Random query, key, value, cotangent, and a mask in which every query may attend to some key."""
    rng = np.random.default_rng(n_queries)
    shapes = (n_queries, d), (n_keys, d), (n_keys, n_values), (n_queries, n_values)
    arrays = [rng.normal(size=(*leading, *shape)) for shape in shapes]
    mask = rng.random((*leading, n_queries, n_keys)) < 0.6
    mask[..., -1] = True
    return arrays, mask


def library_attention(query, key, value, cotangent, **kwargs):
    """Output and gradients of PyTorch's attention, as arrays."""
    inputs = [torch.tensor(array, requires_grad=True) for array in (query, key, value)]
    out = F.scaled_dot_product_attention(*inputs, **kwargs)
    gradients = torch.autograd.grad(out, inputs, torch.from_numpy(cotangent))
    return [out.detach().numpy(), *(gradient.numpy() for gradient in gradients)]


@pytest.mark.parametrize("shape", ATTENTION_SHAPES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("form", ["plain", "fast"])
def test_attention_and_its_gradients_match_the_library(self_attention, shape, masked, form):
    (*arrays, cotangent), mask = attention_inputs(*shape)
    mask = mask if masked else None
    if form == "plain":
        out, weights = self_attention.attention(*arrays, mask)
        gradients = self_attention.attention_backward(cotangent, *arrays, weights)
        np.testing.assert_allclose(weights @ arrays[2], out, rtol=1e-10, atol=1e-12)
    else:
        out, cache = self_attention.attention_fast(*arrays, mask)
        gradients = self_attention.attention_fast_backward(cotangent, cache)
        forgetful, nothing = self_attention.attention_fast(*arrays, mask, keep=False)
        np.testing.assert_array_equal(forgetful, out)
        assert nothing is None
    expected = library_attention(
        *arrays, cotangent, attn_mask=None if mask is None else torch.from_numpy(mask)
    )
    for ours, theirs in zip((out, *gradients), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_loops_match_the_library(self_attention):
    (query, key, value, cotangent), _ = attention_inputs((), 7, 5, 3, 4)
    ours = self_attention.attention_loops(query.tolist(), key.tolist(), value.tolist())
    np.testing.assert_allclose(ours, library_attention(query, key, value, cotangent)[0], rtol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n_queries, n_keys", [(1, 1), (7, 5), (13, 29), (41, 41)])
@pytest.mark.parametrize("blocks", [(1, 1), (4, 7), (16, 3), (64, 64)])
def test_blockwise_matches_the_library(self_attention, causal, n_queries, n_keys, blocks):
    (query, key, value, cotangent), _ = attention_inputs((2, 2), n_queries, n_keys, 3, 5)
    ours = self_attention.attention_blockwise(query, key, value, causal, *blocks)
    expected = library_attention(query, key, value, cotangent, is_causal=causal)[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_every_form_stays_finite_and_float32(self_attention, scale):
    (query, key, value, cotangent), _ = attention_inputs((2,), 6, 6, 4, 4)
    query, key, value, cotangent = (
        array.astype(np.float32) for array in (scale * query, key, value, cotangent)
    )
    mask = np.tri(6, dtype=bool)
    out, weights = self_attention.attention(query, key, value, mask)
    fast, cache = self_attention.attention_fast(query, key, value, mask)
    in_blocks = self_attention.attention_blockwise(query, key, value, True, 2, 3)
    gradients = (
        *self_attention.attention_backward(cotangent, query, key, value, weights),
        *self_attention.attention_fast_backward(cotangent, cache),
    )
    for array in (out, fast, in_blocks, *gradients):
        assert array.dtype == np.float32 and np.isfinite(array).all()
    for other in (fast, in_blocks):
        np.testing.assert_allclose(other, out, rtol=1e-5, atol=1e-5)


def test_self_attention_follows_a_permutation_and_hides_the_future(self_attention):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 7, 5)), rng.normal(size=(3, 4, 5))
    order, causal = rng.permutation(7), np.tri(7, dtype=bool)
    out, _ = self_attention.self_attention(x, *weights)
    shuffled, _ = self_attention.self_attention(x[:, order], *weights)
    np.testing.assert_allclose(shuffled, out[:, order], rtol=1e-10, atol=1e-12)
    out, _ = self_attention.self_attention(x, *weights, causal)
    x[:, 4:] += 1
    np.testing.assert_array_equal(self_attention.self_attention(x, *weights, causal)[0][:, :4], out[:, :4])


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 1), (2, 1, 1, 4), (2, 1, 3, 1), (3, 3, 4)])
def test_masks_broadcast_alike_in_every_form(self_attention, multi_head_attention, shape):
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(2, 3, n, 5)) for n in (3, 4, 4))  # (B, H, T, d), (B, H, S, d)
    mask = rng.random(shape) < 0.5
    with np.errstate(invalid="ignore"):  # a row that may attend to nothing is NaN, as in the library
        found = [
            self_attention.attention(query, key, value, mask),
            multi_head_attention.attention(query, key, value, mask),
        ]
        fast, _ = self_attention.attention_fast(query, key, value, mask)
    tensors = [torch.from_numpy(array) for array in (query, key, value)]
    full = np.broadcast_to(mask, (2, 3, 3, 4)).copy()
    wanted = F.scaled_dot_product_attention(*tensors, attn_mask=torch.from_numpy(full)).numpy()
    empty = ~full.any(axis=-1, keepdims=True)  # (B, H, T, 1)
    for out in (found[0][0], found[1][0], fast):
        np.testing.assert_allclose(out, np.where(empty, np.nan, wanted), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12)


def test_an_empty_row_is_nan_and_spoils_no_other(self_attention):
    x, mask = np.random.default_rng(0).normal(size=(2, 3, 4)), np.tri(3, k=-1, dtype=bool)
    with np.errstate(invalid="ignore"):
        out, weights = self_attention.attention(x, x, x, mask)
        fast, _ = self_attention.attention_fast(x, x, x, mask)
    for array in (out, weights, fast):
        assert np.isnan(array[:, 0]).all() and np.isfinite(array[:, 1:]).all()


def test_whole_numbers_and_single_precision_in_every_form(self_attention):
    whole = np.random.default_rng(0).integers(-3, 4, size=(2, 6, 4))
    expected, _ = self_attention.attention(*3 * [whole * 1.0])
    causal, _ = self_attention.attention(*3 * [whole * 1.0], np.tri(6, dtype=bool))
    np.testing.assert_allclose(self_attention.attention(whole, whole, whole)[0], expected, rtol=1e-12)
    fast, cache = self_attention.attention_fast(whole, whole, whole)
    np.testing.assert_allclose(fast, expected, rtol=1e-12)
    for ours, theirs in zip(
        self_attention.attention_fast_backward(np.ones_like(whole), cache),
        library_attention(*3 * [whole * 1.0], np.ones(whole.shape))[1:],
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    in_blocks = self_attention.attention_blockwise(whole, whole, whole, True, 4, 3)
    np.testing.assert_allclose(in_blocks, causal, rtol=1e-12)
    before = whole.copy()
    self_attention.attention_fast(whole, whole, whole, np.tri(6, dtype=bool))
    np.testing.assert_array_equal(whole, before)
    columns = np.asfortranarray(whole * 1.0)
    for form in (self_attention.attention, self_attention.attention_fast):
        np.testing.assert_allclose(form(columns, columns, columns)[0], expected, rtol=1e-12)
        assert form(whole[:0], whole[:0], whole[:0])[0].shape == (0, 6, 4)


def test_letters_of_other_alphabets_are_refused(self_attention):
    with pytest.raises(ValueError, match=r"only a to z, got \['N', 'é'\]"):
        self_attention.one_hot_names(["Noé", "jonah"])
    letters = self_attention.one_hot_names(["ab", "z"])
    assert letters.shape == (2, 2, 26) and letters.sum() == 3
    assert letters[0, 1, 1] == letters[1, 0, 25] == 1 and not letters[1, 1].any()


def test_attention_names_the_shapes_and_the_mask(self_attention):
    query, key = np.ones((2, 3, 4)), np.ones((1, 3, 4))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), \(1, 3, 4\)"):
        self_attention.attention(query, key, key)
    additive = np.where(np.tri(3, dtype=bool), 0.0, -np.inf)  # a mask of another convention
    for mask in (additive, np.tri(3, dtype=np.int64)):
        for form in (self_attention.attention, self_attention.attention_fast):
            with pytest.raises(ValueError, match=f"boolean, got {mask.dtype}"):
                form(query, query, query, mask)


def test_the_sentence_gathers_what_it_should(self_attention):
    weights, out = self_attention.weights, self_attention.out
    by_hand = math.exp(3 / math.sqrt(2))
    np.testing.assert_allclose(weights[1], np.array([by_hand, 1, 1, by_hand]) / (2 * by_hand + 2))
    np.testing.assert_allclose(out[2], self_attention.value.mean(axis=0))
    np.testing.assert_allclose(out[1, 0], 18 * by_hand / (2 * by_hand + 2))


def test_raw_scores_saturate_softmax_and_scaled_ones_do_not(self_attention):
    raw, scaled = self_attention.slope["raw"], self_attention.slope["scaled"]
    assert all(before > after for before, after in zip(raw, raw[1:]))
    assert scaled[-1] > 10 * raw[-1]
    np.testing.assert_allclose(self_attention.spread, np.sqrt(self_attention.sizes_d), rtol=0.1)


def test_only_blocks_escape_the_square(self_attention):
    whole, blocks = ([peak for peak, _ in self_attention.costs[name]] for name in ("whole", "blocks"))
    assert whole[-1] > 4 * self_attention.lengths[-1] ** 2 > 20 * blocks[-1]


# 12.3 multi_head_attention


def input_layers(module):
    """The three projections whose weights the library keeps stacked."""
    return module.project_query, module.project_key, module.project_value


def multi_head_pair(multi_head_attention, n_features, n_heads, seed=0):
    """Random parameters, our module and `nn.MultiheadAttention` with the same ones, in float64."""
    rng, n = np.random.default_rng(seed), n_features
    parameters = [rng.normal(size=shape) for shape in ((3 * n, n), 3 * n, (n, n), n)]
    ours = multi_head_attention.MultiHeadAttention(n, n_heads).double()
    reference = nn.MultiheadAttention(n, n_heads, batch_first=True, dtype=torch.float64)
    in_weight, in_bias, out_weight, out_bias = map(torch.from_numpy, parameters)
    with torch.no_grad():
        for theirs, value in zip(reference.parameters(), parameters, strict=True):
            theirs.copy_(torch.from_numpy(value))
        for layer, weight, bias in zip(input_layers(ours), in_weight.chunk(3), in_bias.chunk(3), strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        ours.project_out.weight.copy_(out_weight)
        ours.project_out.bias.copy_(out_bias)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in reference.parameters())
    return parameters, ours, reference


@pytest.mark.parametrize(
    "n_features, n_heads, n_batch, n, n_context",
    [(1, 1, 1, 1, 1), (6, 3, 2, 5, 7), (8, 1, 3, 4, 2), (6, 6, 1, 7, 3)],
)
@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention_matches_the_library(
    multi_head_attention, n_features, n_heads, n_batch, n, n_context, crossed, masked
):
    parameters, module, reference = multi_head_pair(multi_head_attention, n_features, n_heads)
    rng = np.random.default_rng(1)
    n_keys = n_context if crossed else n
    x, context = rng.normal(size=(n_batch, n, n_features)), rng.normal(size=(n_batch, n_keys, n_features))
    context = context if crossed else None
    mask, blocked = None, {}
    if masked:
        allowed, padding = rng.random((n, n_keys)) < 0.6, rng.random((n_batch, n_keys)) < 0.7
        allowed[:, 0] = padding[:, 0] = True  # no row is empty: the library would answer NaN
        mask = allowed & padding[:, None, None]  # (B, 1, T, S)
        blocked = {
            "attn_mask": torch.from_numpy(~allowed),
            "key_padding_mask": torch.from_numpy(~padding),
        }
    out, weights = multi_head_attention.multi_head_attention(x, parameters, n_heads, mask, context)
    sources = [torch.tensor(a, requires_grad=True) for a in ([x, context] if crossed else [x])]
    ours, our_weights = module(*sources, mask=None if mask is None else torch.from_numpy(mask))
    theirs, their_weights = reference(
        sources[0], sources[-1], sources[-1], average_attn_weights=False, **blocked
    )
    cotangent = torch.from_numpy(rng.normal(size=out.shape))
    our_grads = torch.autograd.grad(ours, [*sources, *module.parameters()], cotangent)
    their_grads = torch.autograd.grad(theirs, [*sources, *reference.parameters()], cotangent)
    n_sources = len(sources)
    by_name = dict(zip((name for name, _ in module.named_parameters()), our_grads[n_sources:], strict=True))
    stacked = [
        torch.cat([by_name[f"project_{part}.{kind}"] for part in ("query", "key", "value")])
        for kind in ("weight", "bias")
    ]
    stacked += [by_name["project_out.weight"], by_name["project_out.bias"]]
    gradients = [*our_grads[:n_sources], *stacked]
    pairs = [(out, theirs), (ours.detach(), theirs), (weights, their_weights)]
    pairs += [(our_weights.detach(), their_weights), *zip(gradients, their_grads, strict=True)]
    for mine, other in pairs:
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_a_list_of_heads_is_multi_head_attention(multi_head_attention):
    rng = np.random.default_rng(0)
    heads, out_weight = rng.normal(size=(2, 3, 4, 8)), rng.normal(size=(8, 8))
    x, mask = rng.normal(size=(2, 5, 8)), np.tri(5, dtype=bool)
    in_weight = heads.swapaxes(0, 1).reshape(24, 8)  # (H, 3, d, D) -> (3, H, d, D) -> (3D, D)
    parameters = in_weight, np.zeros(24), out_weight, np.zeros(8)
    fused, _ = multi_head_attention.multi_head_attention(x, parameters, 2, mask)
    listed = multi_head_attention.list_of_heads(x, heads, out_weight, mask)
    np.testing.assert_allclose(listed, fused, rtol=1e-10, atol=1e-12)


def test_heads_are_split_and_joined_in_order(multi_head_attention):
    for x in (np.arange(2 * 3 * 8).reshape(2, 3, 8), torch.arange(2 * 3 * 8).reshape(2, 3, 8)):
        split = multi_head_attention.split_heads(x, 4)
        assert tuple(split.shape) == (2, 4, 3, 2)
        for h in range(4):
            assert (split[:, h] == x[:, :, 2 * h : 2 * h + 2]).all()
        assert (multi_head_attention.join_heads(split) == x).all()


def test_an_empty_row_is_nan_as_in_the_library(multi_head_attention):
    parameters, module, reference = multi_head_pair(multi_head_attention, 4, 2)
    x, mask = np.random.default_rng(0).normal(size=(1, 3, 4)), np.tri(3, k=-1, dtype=bool)
    with np.errstate(invalid="ignore"):
        out, weights = multi_head_attention.multi_head_attention(x, parameters, 2, mask)
    assert np.isnan(out[0, 0]).all() and np.isnan(weights[0, :, 0]).all()
    assert np.isfinite(out[0, 1:]).all() and np.isfinite(weights[0, :, 1:]).all()
    ours, _ = module(torch.from_numpy(x), mask=torch.from_numpy(mask))
    tensor = torch.from_numpy(x)
    theirs, _ = reference(tensor, tensor, tensor, attn_mask=torch.from_numpy(~mask))
    for other in (ours, theirs):
        np.testing.assert_allclose(out, other.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_features, n_heads, n_batch, n", [(1, 1, 1, 1), (6, 3, 2, 5), (8, 1, 3, 4)])
def test_the_faster_form_is_the_same(multi_head_attention, n_features, n_heads, n_batch, n):
    _, module, reference = multi_head_pair(multi_head_attention, n_features, n_heads)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(n_batch, n, n_features)))
    fast = multi_head_attention.fast_self_attention(module, x)
    for expected in (module(x)[0], reference(x, x, x)[0]):
        torch.testing.assert_close(fast, expected, rtol=1e-9, atol=1e-11)


def test_multi_head_attention_names_the_faults(multi_head_attention):
    parameters, *_ = multi_head_pair(multi_head_attention, 4, 2)
    with pytest.raises(ValueError, match="3 heads cannot share 4 features"):
        multi_head_attention.multi_head_attention(np.ones((1, 2, 4)), parameters, 3)
    with pytest.raises(ValueError, match="3 heads cannot share 4 features"):
        multi_head_attention.MultiHeadAttention(4, 3)
    additive = np.where(np.tri(2, dtype=bool), 0.0, -np.inf)  # a mask of another convention
    for mask in (additive, np.tri(2, dtype=np.int64)):
        with pytest.raises(ValueError, match=rf"boolean, got {mask.dtype} of shape \(2, 2\)"):
            multi_head_attention.multi_head_attention(np.ones((1, 2, 4)), parameters, 2, mask)
        with pytest.raises(TypeError):
            multi_head_attention.MultiHeadAttention(4, 2)(torch.ones(1, 2, 4), mask=torch.tensor(additive))


def test_plain_attention_takes_what_users_bring(multi_head_attention):
    attention = multi_head_attention.attention
    whole = np.array([[1, 2], [3, 4], [0, 1]])
    np.testing.assert_allclose(attention(whole, whole, whole)[0], attention(*3 * [whole * 1.0])[0])
    single = whole.astype(np.float32)
    assert attention(single, single, single, np.tri(3, dtype=bool))[0].dtype == np.float32
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    column_order = np.asfortranarray(x)
    np.testing.assert_allclose(attention(*3 * [column_order])[0], attention(x, x, x)[0], rtol=1e-12)
    assert attention(x[:0], x[:0], x[:0])[0].shape == (0, 3, 5, 4)


def test_only_several_heads_keep_two_answers(multi_head_attention):
    errors = multi_head_attention.test_errors
    assert min(errors[1]) > 0.4 and max(errors[1]) < 0.6
    assert max(errors[2]) < 0.02 and max(errors[4]) < 0.02
    assert [len(models) for models in multi_head_attention.look_up_models.values()] == [4, 4, 4]
    assert [len(curves) for curves in multi_head_attention.look_up_curves.values()] == [4, 4, 4]
    x, y, hunter, prey = multi_head_attention.two_look_ups(50, torch.Generator().manual_seed(3))
    for mark, part in ((6, y[:, :6]), (7, y[:, 6:])):
        torch.testing.assert_close((x[:, :, mark, None] * x[:, :, :6]).sum(dim=1), part)
    assert (x[:, :, 6] * x[:, :, 7]).sum() == 0 and x[:, :-1, 8].sum() == 0 and x[:, -1, 8].sum() == 50
    assert torch.equal(x[:, :, 6].argmax(dim=1), hunter) and torch.equal(x[:, :, 7].argmax(dim=1), prey)
    assert len(hunter.unique()) == len(prey.unique()) == 8


def test_two_heads_divide_the_work(multi_head_attention):
    x, _, hunter, prey = multi_head_attention.two_look_ups(300, torch.Generator().manual_seed(5))
    for model in multi_head_attention.look_up_models[2]:
        with torch.no_grad():
            _, weights = model.attend(x)
        best = weights[:, :, -1].argmax(dim=-1)  # (300, 2): the position that each head attends to most
        shares = torch.stack([(best == marked[:, None]).float().mean(dim=0) for marked in (hunter, prey)])
        assert shares.max(dim=0).values.min() > 0.9 and shares.min(dim=0).values.max() < 0.1
        assert sorted(shares.argmax(dim=0).tolist()) == [0, 1]


# 12.4 positional_encoding


@pytest.mark.parametrize("n_features, n_heads, n_batch, n", [(1, 1, 1, 1), (6, 3, 2, 5), (8, 1, 3, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_scores_of_its_own_matches_the_library(
    positional_encoding, n_features, n_heads, n_batch, n, masked
):
    torch.manual_seed(0)
    ours = positional_encoding.MultiHeadAttention(n_features, n_heads).double()
    reference = nn.MultiheadAttention(n_features, n_heads, batch_first=True, dtype=torch.float64)
    layers = ours.project_query, ours.project_key, ours.project_value
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        reference.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        reference.out_proj.load_state_dict(ours.project_out.state_dict())
    x = torch.randn(n_batch, n, n_features, dtype=torch.float64)
    mask = torch.ones(n, n, dtype=torch.bool).tril() if masked else None
    expected = reference(x, x, x, attn_mask=None if mask is None else ~mask, average_attn_weights=False)
    for found, wanted in zip(ours(x, mask), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)
    with pytest.raises(ValueError, match="3 heads cannot share 4 features"):
        positional_encoding.MultiHeadAttention(4, 3)


def test_rotary_attention_rotates_queries_and_keys_only(positional_encoding):
    torch.manual_seed(0)
    ours = positional_encoding.RotaryAttention(8, 2).double()
    x, mask = torch.randn(2, 5, 8).double(), torch.ones(5, 5, dtype=torch.bool).tril()
    query, key, value = (
        ours.split(layer(x)) for layer in (ours.project_query, ours.project_key, ours.project_value)
    )
    rotate = positional_encoding.rotate
    expected = F.scaled_dot_product_attention(rotate(query), rotate(key), value, mask)
    out, weights = ours(x, mask)
    torch.testing.assert_close(out, ours.project_out(expected.transpose(1, 2).flatten(2)))
    assert weights.shape == (2, 2, 5, 5)
    plain = positional_encoding.MultiHeadAttention(8, 2).double()
    plain.load_state_dict(ours.state_dict())
    assert (plain(x, mask)[0] - out).abs().max() > 1e-3


def test_encodings_name_the_faults(positional_encoding):
    with pytest.raises(ValueError, match="got 5 features"):
        positional_encoding.sinusoidal(3, 5)
    with pytest.raises(ValueError, match="in pairs, got 3 of them"):
        positional_encoding.rotate(torch.ones(2, 3))


@pytest.mark.parametrize("k", [-4, 0, 1, 17])
@pytest.mark.parametrize("n_features", [2, 10])
def test_a_shift_of_the_sines_is_a_rotation(positional_encoding, n_features, k):
    encoding, matrix = (
        positional_encoding.sinusoidal(60, n_features),
        positional_encoding.shift_matrix(k, n_features),
    )
    places = np.arange(10, 40)
    np.testing.assert_allclose(encoding[places] @ matrix.T, encoding[places + k], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n_features), atol=1e-12)
    angle = 7 * 10000.0 ** (-(n_features - 2) / n_features)  # the slowest pair at position seven
    np.testing.assert_allclose(encoding[7, -2:], [math.sin(angle), math.cos(angle)], rtol=1e-12)
    layer = positional_encoding.SinusoidalPositions(60, n_features)
    added = layer(torch.ones(2, 9, n_features))
    np.testing.assert_allclose(added - 1, np.stack([encoding[:9]] * 2), atol=1e-6)
    assert not list(layer.parameters()) and "table" in layer.state_dict()  # follows .to, is not trained


def test_rotary_is_a_product_of_complex_numbers(positional_encoding):
    x = torch.randn(2, 3, 11, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    places, pairs = torch.arange(11, dtype=torch.float64), torch.arange(3, dtype=torch.float64)
    angles = torch.outer(places, 10000.0 ** (-pairs / 3))
    turned = torch.view_as_complex(x.unflatten(-1, (3, 2))) * torch.polar(torch.ones_like(angles), angles)
    expected = torch.view_as_real(turned).flatten(-2)
    torch.testing.assert_close(positional_encoding.rotate(x), expected, rtol=1e-10, atol=1e-12)
    assert positional_encoding.rotate(x.float()).dtype == torch.float32


def test_rotary_scores_depend_on_the_distance_alone(positional_encoding):
    query, key = torch.randn(2, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rotate = positional_encoding.rotate
    scores = (rotate(query.expand(20, -1)) @ rotate(key.expand(20, -1)).T).numpy()
    means = [np.diagonal(scores, distance).mean() for distance in range(-10, 11)]
    assert max(np.ptp(np.diagonal(scores, distance)) for distance in range(-10, 11)) < 1e-12
    assert len(set(np.round(means, 6))) == 21  # each distance has a score of its own, before and after
    assert abs(scores[0, 0] - (query @ key.T).item()) < 1e-12  # position 0 is not rotated


def test_stretches_are_runs_of_the_book(positional_encoding):
    alphabet = " abcdefghijklmnopqrstuvwxyz"
    letters = "".join(alphabet[i] for i in positional_encoding.ids.tolist())
    assert letters.strip() == re.sub("[^a-z]+", " ", positional_encoding.book).strip()
    for row in positional_encoding.stretches(20, 30, torch.Generator().manual_seed(0)).tolist():
        assert "".join(alphabet[i] for i in row) in letters


@pytest.mark.parametrize("name", ["none", "learned", "sines", "rotary"])
def test_a_reader_sees_its_window_and_no_more(positional_encoding, name):
    model = positional_encoding.make_reader(name, 0).double()
    x = torch.randint(27, (2, 12), generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, 5] = (x[:, 5] + 1) % 27
    for window, seen in ((128, range(5, 12)), (4, range(5, 9))):
        moved = (model(x, window) - model(changed, window)).abs().amax(dim=(0, 2))  # (T,)
        assert [t for t in range(12) if moved[t] > 1e-9] == list(seen)


def test_encodings_know_positions_in_their_own_way(positional_encoding):
    x = positional_encoding.test_letters[:4, :9]
    order = [2, 0, 1, 3, 4, 5, 6, 7, 8]
    for name in ("none", "learned", "sines", "rotary"):
        model = positional_encoding.make_reader(name, 0).double()
        moved = (model(x)[:, -1] - model(x[:, order])[:, -1]).abs().max().item()
        assert (moved > 1e-6) == (name != "none")
        assert (name == "learned") == ("positions.table" in dict(model.named_parameters()))


def test_the_heads_of_the_letter_task_look_three_back(positional_encoding):
    letters = positional_encoding.stretches(50, 32, torch.Generator().manual_seed(7))
    for name in ("sines", "learned", "rotary"):
        for reader in positional_encoding.readers[name]:
            with torch.no_grad():
                _, weights = reader.attend(letters)  # (50, H, T, T)
            back = [torch.diagonal(weights, -k, 2, 3).mean() for k in range(7)]
            assert np.argmax(back) == 3
    for reader in positional_encoding.readers["none"]:
        with torch.no_grad():
            assert torch.diagonal(reader.attend(letters)[1], -3, 2, 3).mean() < 0.2


def test_accuracy_by_position_counts_right_letters(positional_encoding):
    letters = torch.randint(27, (6, 10), generator=torch.Generator().manual_seed(0))

    def oracle(x, window):
        """Right at every position but the last, where it names another letter."""
        answers = x.roll(3, dims=1)
        answers[:, -1] = (answers[:, -1] + 1) % 27
        return F.one_hot(answers, 27).float()

    shares = positional_encoding.accuracy_by_position(oracle, letters)
    np.testing.assert_array_equal(shares, [1, 1, 1, 1, 1, 1, 0])


def test_only_the_window_carries_rotary_beyond_the_trained_length(positional_encoding):
    letters = positional_encoding.stretches(40, 128, torch.Generator().manual_seed(8))
    far = {}
    for name, window in (("rotary", 128), ("rotary", 32), ("sines", 32), ("none", 128)):
        readers = positional_encoding.readers[name]
        assert len(readers) == 4
        shares = [positional_encoding.accuracy_by_position(reader, letters, window) for reader in readers]
        far[name, window] = np.mean(shares, axis=0)[61:].mean()
    assert far["rotary", 32] > 0.95 and far["sines", 32] < 0.6
    assert far["rotary", 128] < far["none", 128] < 0.3
    assert positional_encoding.accuracy["rotary"].shape == (4, 125)


# 12.5 encoder_block


def stacked(named):
    """Tensors {name: tensor} as the library lists them, queries, keys and values of an attention in one."""
    found = []
    for name, tensor in named.items():
        if "project_query" in name:
            tensor = torch.cat([named[name.replace("query", part)] for part in ("query", "key", "value")])
        if "project_key" not in name and "project_value" not in name:
            found.append(tensor)
    return found


def copied(ours, theirs):
    """Both in float64 evaluation with ours' parameters, random ones, copied in the order of the library."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in ours.double().parameters():
            parameter.normal_(0.0, 0.5, generator=generator)
        values = stacked(dict(ours.named_parameters()))
        for value, parameter in zip(values, theirs.double().parameters(), strict=True):
            parameter.copy_(value)
    return ours.eval(), theirs.eval()


def assert_same(ours, theirs, our_inputs, torch_inputs):
    """Equal outputs, and equal gradients of a random mixture by every input and every parameter."""
    outputs = ours(*our_inputs[0], **our_inputs[1]), theirs(*torch_inputs[0], **torch_inputs[1])
    outputs = [output[0] if isinstance(output, tuple) else output for output in outputs]
    cotangent = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = []
    for output, block in zip(outputs, (ours, theirs)):
        found = torch.autograd.grad((output * cotangent).sum(), [our_inputs[0][0], *block.parameters()])
        names = [name for name, _ in block.named_parameters()]
        gradients.append([found[0], *stacked(dict(zip(names, found[1:], strict=True)))])
    for a, b in zip((outputs[0], *gradients[0]), (outputs[1], *gradients[1]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


BLOCK_SIZES = [(1, 1, 1, 3, 1, 1), (3, 7, 5, 12, 3, 5), (2, 4, 11, 10, 5, 13)]  # B, T, S, D, heads, hidden


@pytest.mark.parametrize("sizes", BLOCK_SIZES)
@pytest.mark.parametrize(
    "part", ["attention", "encoder, pre", "encoder, post", "decoder, pre", "decoder, post"]
)
def test_parts_of_the_transformer_match_the_library(encoder_block, part, sizes):
    n_batch, n_words, n_source, width, n_heads, hidden = sizes
    generator = torch.Generator().manual_seed(0)
    x, source = (
        torch.randn(n_batch, n, width, generator=generator, dtype=torch.float64).requires_grad_()
        for n in (n_words, n_source)
    )
    causal = torch.ones(n_words, n_words, dtype=torch.bool).tril()
    may_read = torch.arange(n_source) <= torch.arange(n_batch)[:, None]  # from one word up
    mask, blocked = may_read[:, None, None, :], ~may_read
    options = {"dropout": 0.0, "batch_first": True}
    if part == "attention":
        ours = encoder_block.MultiHeadAttention(width, n_heads)
        theirs = nn.MultiheadAttention(width, n_heads, **options)
        assert_same(
            *copied(ours, theirs),
            ((x, source, mask), {}),
            ((x, source, source), {"key_padding_mask": blocked, "need_weights": False}),
        )
        return
    options["norm_first"] = part.endswith("pre")
    sizes = width, n_heads, hidden
    if part.startswith("encoder"):
        ours = encoder_block.EncoderBlock(*sizes, norm_first=options["norm_first"])
        theirs = nn.TransformerEncoderLayer(*sizes, **options)
        inputs = ((source, mask), {}), ((source,), {"src_key_padding_mask": blocked})
    else:
        ours = encoder_block.DecoderBlock(*sizes, norm_first=options["norm_first"])
        theirs = nn.TransformerDecoderLayer(*sizes, **options)
        masks = {"tgt_mask": ~causal, "memory_key_padding_mask": blocked}
        inputs = ((x, source, causal, mask), {}), ((x, source), masks)
    assert_same(*copied(ours, theirs), *inputs)


def test_a_word_that_may_read_nothing_gets_the_bias(encoder_block):
    attention = encoder_block.MultiHeadAttention(6, 2)
    nn.init.normal_(attention.project_out.bias)
    x = torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(0))
    out = attention(x, x, torch.zeros(1, 1, 3, 3, dtype=torch.bool))
    torch.testing.assert_close(out, attention.project_out.bias.expand(1, 3, 6))
    with pytest.raises(ValueError, match="2 heads cannot share 7 features"):
        encoder_block.MultiHeadAttention(7, 2)


def test_dropout_acts_in_each_place_and_only_in_training(encoder_block):
    x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    attention, feed_forward = (
        encoder_block.MultiHeadAttention(6, 2, 1.0),
        encoder_block.FeedForward(6, 9, 1.0),
    )
    torch.testing.assert_close(attention(x, x), attention.project_out.bias.expand_as(x))
    torch.testing.assert_close(feed_forward(x), feed_forward[-1].bias.expand_as(x))
    for norm_first in (True, False):
        block = encoder_block.DecoderBlock(6, 2, 9, 1.0, norm_first)
        assert torch.equal(block(x, x), x) == norm_first
        assert not torch.equal(block.eval()(x, x), x)
        torch.testing.assert_close(block(x, x), block(x, x))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (6, 7, 5), (12, 5, 31)])
def test_block_costs_are_those_of_a_block(encoder_block, sizes):
    width, hidden, length = sizes
    block = encoder_block.EncoderBlock(width, 1, hidden)
    costs = encoder_block.block_costs(width, hidden, length)
    assert sum(n for n, _ in costs.values()) == sum(p.numel() for p in block.parameters())
    assert costs["projections"][0] == sum(p.numel() for p in block.attention.parameters())
    square = (
        sum(n for _, n in costs.values())
        - sum(n for _, n in encoder_block.block_costs(width, hidden, 1).values()) * length
    )
    assert square == 4 * width * length * (length - 1)  # only the scores are not linear in the length


@pytest.mark.parametrize("norm_first", [True, False])
def test_stacks_match_the_library(encoder_block, norm_first):
    model = encoder_block.Sorter(6, 2, 3, norm_first)
    layer = nn.TransformerEncoderLayer(6, 2, 24, 0.0, batch_first=True, norm_first=norm_first)
    norm = nn.LayerNorm(6) if norm_first else None
    theirs = nn.TransformerEncoder(layer, 3, norm=norm, enable_nested_tensor=False)
    copied(nn.ModuleList([model.blocks, model.final_norm]), theirs)
    model.double().eval()
    x = torch.tensor([[3, 1, 10, 2], [5, 7, 0, 0]])
    stream = model.streams(x)[0]
    torch.testing.assert_close(stream, model.letter.weight[x] + model.place.weight[:4])
    expected = theirs(stream, src_key_padding_mask=x == 0)
    torch.testing.assert_close(model.final_norm(model.streams(x)[-1]), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model(x), model.read_out(expected), rtol=1e-10, atol=1e-10)


def test_padding_changes_no_sorted_letter(encoder_block):
    torch.manual_seed(0)
    for norm_first in (True, False):
        model = encoder_block.Sorter(8, 2, 2, norm_first)
        codes = encoder_block.letter_codes(["emma", "ann"], 6)
        assert codes.tolist() == [[5, 13, 13, 1, 0, 0], [1, 14, 14, 0, 0, 0]]
        torch.testing.assert_close(model(codes)[1, :3], model(codes[1:, :3])[0])
    for wrong in ("Emma", "maximilian", "éva"):
        with pytest.raises(ValueError, match=f"at most 8 letters a to z, got '{wrong}'"):
            encoder_block.letter_codes(["ann", wrong])


def test_the_answer_gets_better_along_the_stream(encoder_block):
    m = encoder_block
    assert len(m.right_after) == len(m.streams) == 5 and m.right_after[0] < 0.2 < 0.95 < m.right_after[-1]
    assert all(a < b for a, b in zip(m.right_after, m.right_after[1:]))
    assert not set(map(tuple, m.test_x.tolist())) & set(map(tuple, m.train_x.tolist()))
    with torch.no_grad():
        right = (m.sorter(m.test_x).argmax(dim=-1) == m.test_y)[m.test_x > 0].float().mean().item()
    assert right == pytest.approx(m.right_after[-1])
    np.testing.assert_array_equal(m.test_x[m.test_x > 0].bincount(), m.test_y[m.test_y > 0].bincount())


def test_tensors_are_stacked_as_the_library_lists_them(encoder_block):
    for ours, theirs in (
        (encoder_block.MultiHeadAttention(6, 2), nn.MultiheadAttention(6, 2)),
        (encoder_block.EncoderBlock(6, 2, 9), nn.TransformerEncoderLayer(6, 2, 9)),
        (encoder_block.DecoderBlock(6, 2, 9), nn.TransformerDecoderLayer(6, 2, 9)),
    ):
        found = encoder_block.stacked(dict(ours.named_parameters()))
        assert [part.shape for part in found] == [part.shape for part in theirs.parameters()]
        for a, b in zip(found, stacked(dict(ours.named_parameters())), strict=True):
            assert torch.equal(a, b)


def test_warm_up_climbs_to_the_learning_rate(encoder_block, monkeypatch):
    rates = []

    class Spy(torch.optim.Adam):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Spy)
    for n_warmup, n_steps in ((4, 6), (0, 2)):
        model = encoder_block.Sorter(8, 2, 1, norm_first=True)
        before = [parameter.clone() for parameter in model.parameters()]
        losses = encoder_block.train(model, 0, n_steps, 4, learning_rate=0.008, n_warmup=n_warmup)
        assert losses.shape == (n_steps,)
        assert any((a != b).any() for a, b in zip(before, model.parameters()))
    assert rates == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.008, 0.008, 0.008, 0.008])


def test_post_norm_needs_the_warm_up(encoder_block):
    loss, moves, gradients = encoder_block.final_losses, encoder_block.moves, encoder_block.gradients
    assert all(losses.shape == (3,) for losses in loss.values()) and len(loss) == 4
    assert loss["post-norm, no warm-up"].min() > loss["post-norm, warm-up"].max() + 0.4
    assert loss["pre-norm, no warm-up"].max() < loss["post-norm, warm-up"].min() - 0.2
    assert 2.6 < encoder_block.guessing < 3.0  # about the entropy of English letters
    assert all(moves["post-norm"][depth] > moves["pre-norm"][depth] for depth in encoder_block.depths)
    assert np.polyfit(np.arange(24), gradients["post-norm"][24], 1)[0] > 0
    assert np.polyfit(np.arange(24), gradients["pre-norm"][24], 1)[0] < 0


def test_the_base_model_has_the_published_size(encoder_block):
    assert encoder_block.base["embedding"].weight.device.type == "meta"
    assert 0.96 * 65e6 < encoder_block.total < 1.04 * 65e6


# 12.6 tokenization_bpe


@pytest.mark.parametrize("alphabet", ["ab", "abc ", "aé 1", "the  \n.,_9"])
@pytest.mark.parametrize("length", [0, 1, 7, 400])
def test_fast_training_matches_naive_ties_included(tokenization_bpe, alphabet, length):
    text = "".join(random.Random(length).choices(alphabet, k=length))
    naive = tokenization_bpe.train_naive(text, 300)
    assert tokenization_bpe.train(text, 300) == naive


def test_fast_training_matches_naive_on_the_book(tokenization_bpe):
    text = tokenization_bpe.text[300_000:305_000]
    assert tokenization_bpe.train(text, 500) == tokenization_bpe.train_naive(text, 500)


def test_training_stops_where_every_chunk_is_one_token(tokenization_bpe):
    for train in (tokenization_bpe.train, tokenization_bpe.train_naive):
        assert train("aaa aaa", 1000) == [(97, 97), (256, 97), (32, 257)]
        assert train("", 256) == train("a b", 256) == []
        with pytest.raises(ValueError, match="256 bytes, got 255"):
            train("whale", 255)


def test_equals_are_merged_in_the_order_first_met(tokenization_bpe):
    for train in (tokenization_bpe.train, tokenization_bpe.train_naive):
        assert train("xy zw", 257) == [(ord("x"), ord("y"))]  # " z", "zw" and "xy" stand there once each
        assert train("ba ab ba", 257) == [(ord("b"), ord("a"))]


def test_toy_text_gives_the_merges_of_the_paper(tokenization_bpe):
    assert tokenization_bpe.toy_merges == ["es", "est", "est</w>", "lo", "low"]


def test_merge_takes_pairs_from_the_left(tokenization_bpe):
    assert tokenization_bpe.merge([1, 1, 1, 2, 1, 1], (1, 1), 9) == [9, 1, 2, 9]
    assert tokenization_bpe.merge([], (1, 1), 9) == []


def merged_in_order(chunk, merges, merge):
    """A chunk's tokens by doing all merges in the order learned: what encoding must equal."""
    tokens = list(chunk)
    for token, pair in enumerate(merges, start=256):
        tokens = merge(tokens, pair, token)
    return tokens


def test_encoding_does_the_merges_in_order(tokenization_bpe):
    merges, merge = tokenization_bpe.merges[:500], tokenization_bpe.merge
    tokenizer = tokenization_bpe.Tokenizer(merges)
    text = tokenization_bpe.test_text[5000:8000] + " aaaaaaa thethe ininging 1851 naïve"
    chunks = tokenization_bpe.CHUNK.findall(text)
    expected = [token for chunk in chunks for token in merged_in_order(chunk.encode(), merges, merge)]
    assert tokenizer.encode(text) == expected
    assert tokenizer.encode(text) == expected  # the second time from the cache


@pytest.mark.parametrize("size", [256, 1024, 4096])
def test_any_string_and_any_bytes_survive(tokenization_bpe, size):
    tokenizer = tokenization_bpe.Tokenizer(tokenization_bpe.merges[: size - 256])
    rng = random.Random(size)
    for limit in (128, 0x800, 0xD800):
        string = "".join(chr(rng.randrange(limit)) for _ in range(500)) + "🐳\U0010ffff \u3000\x1c_"
        assert tokenizer.decode(tokenizer.encode(string), "strict") == string
    data = bytes(range(256)) + rng.randbytes(500)
    assert tokenizer.decode_bytes(tokenizer.encode(data)) == data
    assert tokenizer.encode(b"whale") == tokenizer.encode("whale")
    assert max(tokenizer.encode(tokenization_bpe.test_text)) < size


def test_invalid_bytes_decode_as_told(tokenization_bpe):
    tokenizer = tokenization_bpe.Tokenizer([])
    assert tokenizer.decode([119, 0xFF]) == "w\ufffd"
    assert tokenizer.decode([119, 0xFF], "ignore") == "w"
    assert tokenizer.decode(tokenizer.encode(b"\xff\x80"), "surrogateescape") == "\udcff\udc80"
    with pytest.raises(UnicodeDecodeError):
        tokenizer.decode([0xFF], "strict")
    with pytest.raises(ValueError, match="surrogates"):
        tokenizer.encode("half a whale: \ud83d")
    assert tokenizer.encode(b"\xff") == [255]  # now known as a chunk, and yet
    with pytest.raises(ValueError, match="surrogates"):
        tokenizer.encode("\udcff")


def test_bad_tokens_are_named(tokenization_bpe):
    tokenizer = tokenization_bpe.SpecialTokenizer([(97, 98)], ["<|end|>"])
    assert tokenizer.decode([256, 257]) == "ab<|end|>"
    for wrong in (-1, 258):
        with pytest.raises(ValueError, match=f"0 to 257, got {wrong}"):
            tokenizer.decode([97, wrong])
    for special in (["<a>", "<a>"], [""]):
        with pytest.raises(ValueError, match="special tokens must be different"):
            tokenization_bpe.SpecialTokenizer([], special)


def test_special_tokens_are_obeyed_only_where_allowed(tokenization_bpe):
    tokenizer = tokenization_bpe.SpecialTokenizer([(97, 98)], ["<|a|>", "<|a|><|b|>", "(.)"])
    text = "<|a|>ab<|a|><|b|>(.)x<|a|>"
    assert max(tokenizer.encode(text)) == 256
    assert tokenizer.encode_special(text, []) == tokenizer.encode(text)
    everything = tokenizer.encode_special(text, list(tokenizer.special_tokens))
    assert everything == [257, 256, 258, 259, ord("x"), 257]  # the longest name wins
    assert tokenizer.decode(everything) == text
    assert tokenizer.encode_special("ab(.)<|a|>", ["(.)"]) == [256, 259, *b"<|a|>"]
    with pytest.raises(ValueError, match="unknown special token '<|c|>'"):
        tokenizer.encode_special(text, ["<|a|>", "<|c|>"])


def test_a_saved_tokenizer_is_the_same(tokenization_bpe, tmp_path):
    tokenizer = tokenization_bpe.SpecialTokenizer(tokenization_bpe.merges[:50], ["<|鯨|>"])
    tokenizer.save(tmp_path / "file")
    again = tokenization_bpe.SpecialTokenizer.load(tmp_path / "file")
    text = tokenization_bpe.test_text[:500]
    assert again.encode(text) == tokenizer.encode(text) and again.special_tokens == tokenizer.special_tokens
    assert again.merges == tokenizer.merges and again.vocabulary == tokenizer.vocabulary


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"merges": [[97, 98], [256',
        b"[]",
        b'{"merges": []}',
        b'{"merges": [[97, 256]], "special_tokens": []}',
        b'{"merges": [[-1, 97]], "special_tokens": []}',
        b'{"merges": [[97]], "special_tokens": []}',
        b'{"merges": [["a", "b"]], "special_tokens": []}',
        b'{"merges": [[97, 98], [97, 98]], "special_tokens": []}',
        b'{"merges": [], "special_tokens": ["x", "x"]}',
        b'{"merges": [], "special_tokens": [3]}',
        b'{"merges": [], "special_tokens": "\xff"}',
    ],
)
def test_a_damaged_file_is_named(tokenization_bpe, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="file is damaged"):
        tokenization_bpe.SpecialTokenizer.load(tmp_path / "file")


def test_longer_vocabularies_shorten_the_text_by_less(tokenization_bpe):
    rates = np.array(tokenization_bpe.test_rates)
    assert rates[0] == 1 and (np.diff(rates) > 0.2).all() and (np.diff(rates, n=2) < 0).all()
    assert tokenization_bpe.train_rates == pytest.approx(rates, rel=0.05)
    assert tokenization_bpe.rare == sorted(tokenization_bpe.rare) and tokenization_bpe.rare[-1] > 0.7


def test_token_counts_count(tokenization_bpe):
    counts = tokenization_bpe.token_counts(tokenization_bpe.Tokenizer([(97, 98)]), "abab ba")
    assert len(counts) == 257 and counts[[256, 97, 98, 32]].tolist() == [2, 1, 1, 1] and counts.sum() == 5


def test_new_words_keep_coming(tokenization_bpe):
    t = tokenization_bpe
    assert len(t.met_at) == len(set(t.words)) and t.words[t.met_at[-1] - 1] not in t.words[: t.met_at[-1] - 1]
    assert t.unknown == sorted(t.unknown, reverse=True) and 0.015 < t.unknown[-1] < 0.06
    assert 0.35 < t.once < 0.5


# 12.7 mini_transformer


def test_dates_are_written_as_told(mini_transformer):
    spellings = mini_transformer.spellings(datetime.date(2004, 11, 2))
    assert spellings == (
        "2 November 2004",
        "November 2, 2004",
        "Tuesday, 2 November 2004",
        "02.11.2004",
        "11/2/2004",
        "Nov 2 2004",
        "the 2nd of November 2004",
        "2 Nov 04",
        "Tuesday, November 2, 2004",
    )
    ordinals = [mini_transformer.ordinal(n) for n in (1, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 30, 31)]
    assert " ".join(ordinals) == "1st 3rd 4th 10th 11th 12th 13th 14th 20th 21st 22nd 30th 31st"


def test_codes_go_there_and_back(mini_transformer):
    m = mini_transformer
    pairs = m.DatePairs(m.test_dates[:2])
    assert len(pairs) == 16
    source, target = m.collate([pairs[i] for i in range(16)])
    assert target.shape == (16, 12) and source.shape[0] == 16
    for i, (row, codes) in enumerate(zip(source, target)):
        date = m.test_dates[i // 8]
        assert "".join(m.characters[code] for code in row) == m.spellings(date)[i % 8]
        assert m.decode(codes.tolist()) == date.isoformat()
        assert codes[0] == m.START and codes[-1] == m.END
    assert m.encode(["1", "11"])[0, 1] == m.PAD
    assert m.encode([]).shape == (0, 0)
    with pytest.raises(ValueError, match="'é'.*"):
        m.encode(["1 May", "1 févr"])


@pytest.mark.parametrize("sizes", [(1, 1, 1, 2, 1, 1, 1), (3, 5, 8, 12, 3, 7, 2)])
def test_mini_transformer_matches_the_library(mini_transformer, sizes):
    n_batch, n_target, n_source, width, n_heads, hidden, n_layers = sizes
    torch.manual_seed(0)
    ours = mini_transformer.Transformer(11, width, n_heads, hidden, n_layers)
    options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    layer = nn.TransformerEncoderLayer(width, n_heads, hidden, **options)
    encoder = nn.TransformerEncoder(layer, n_layers, nn.LayerNorm(width), enable_nested_tensor=False)
    theirs = nn.Transformer(width, n_heads, 1, n_layers, hidden, **options, custom_encoder=encoder)
    copied(nn.ModuleList([ours.encoder, ours.encoder_norm, ours.decoder, ours.decoder_norm]), theirs)
    ours.double().eval()
    source, target = torch.randint(1, 11, (n_batch, n_source)), torch.randint(1, 11, (n_batch, n_target))
    source[1:, n_source // 2 :] = 0
    out = theirs(
        ours.embed(source),
        ours.embed(target),
        tgt_mask=torch.ones(n_target, n_target, dtype=torch.bool).triu(1),
        src_key_padding_mask=source == 0,
        memory_key_padding_mask=source == 0,
    )
    found, expected = ours(source, target), ours.read_out(out)
    cotangent = torch.randn_like(found)
    inputs = [ours.embedding.weight, ours.read_out.weight]
    for a, b in zip(
        (found, *torch.autograd.grad((found * cotangent).sum(), inputs)),
        (expected, *torch.autograd.grad((expected * cotangent).sum(), inputs)),
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="positions end at 64"):
        ours.embed(torch.ones(1, 65, dtype=torch.long))
    with pytest.raises(ValueError, match="3 heads cannot share 10 features"):
        mini_transformer.MultiHeadAttention(10, 3)


def small_translator(mini_transformer):
    """An untrained model, two sources, one of them padded, for the functions that decode."""
    torch.manual_seed(1)
    model = mini_transformer.Transformer(len(mini_transformer.characters), 8, 2, 12, n_blocks=2).eval()
    return model, mini_transformer.encode(["1 May 1999", "May"])


def test_the_learning_rate_warms_up_and_falls(mini_transformer):
    shares = [mini_transformer.rate_share(step, 100, 10) for step in range(100)]
    assert shares[0] == pytest.approx(0.1) and shares[4] == pytest.approx(0.5)
    assert shares[9] == shares[10] == 1 and shares[55] == pytest.approx(0.5) and 0 < shares[-1] < 0.001
    assert mini_transformer.rate_share(0, 10, 0) == 1  # no warm-up, and nothing but warm-up
    assert [mini_transformer.rate_share(step, 2, 2) for step in range(2)] == [0.5, 1]


def test_the_sinusoids_of_dates_are_those_of_the_paper(mini_transformer):
    expected = [
        [(math.sin, math.cos)[k % 2](t / 10_000 ** (2 * (k // 2) / 10)) for k in range(10)] for t in range(7)
    ]
    torch.testing.assert_close(mini_transformer.sinusoids(7, 10), torch.tensor(expected))
    with pytest.raises(ValueError, match="got 5 features"):
        mini_transformer.sinusoids(4, 5)


def test_batch_loss_is_the_mean_over_characters(mini_transformer):
    model, source = small_translator(mini_transformer)
    target = mini_transformer.encode(["<1999>", "<2001>"])
    q = F.one_hot(target[:, 1:], len(mini_transformer.characters)) * 0.7 + 0.3 / len(
        mini_transformer.characters
    )
    expected = -(q * F.log_softmax(model(source, target[:, :-1]), dim=-1)).sum(dim=-1).mean()
    torch.testing.assert_close(mini_transformer.batch_loss(model, source, target, 0.3), expected)


@pytest.mark.parametrize(("smoothing", "vocabulary"), [(0.1, 48), (0.5, 2), (0.9, 7)])
def test_smoothing_floor_is_the_least_loss(mini_transformer, smoothing, vocabulary):
    q = torch.full((vocabulary,), smoothing / vocabulary, dtype=torch.float64)
    q[0] += 1 - smoothing
    least = F.cross_entropy(q.log(), torch.tensor(0), label_smoothing=smoothing)
    assert mini_transformer.smoothing_floor(smoothing, vocabulary) == pytest.approx(least.item())
    assert mini_transformer.smoothing_floor(0, vocabulary) == 0
    assert mini_transformer.smoothing_floor(smoothing, 1) == 0
    uniform = mini_transformer.smoothing_floor(1, vocabulary)
    assert uniform == pytest.approx(math.log(vocabulary))


def random_tree(n_codes, seed):
    """A step for beam_search: log-probabilities that depend on the whole beginning."""

    def step(beams):
        rows = [np.random.default_rng([seed, *beam]).dirichlet(np.ones(n_codes)) for beam in beams.tolist()]
        return torch.tensor(np.array(rows)).log()

    return step


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_likeliest_text(mini_transformer, seed):
    step, longest = random_tree(4, seed), 5
    texts, open_texts = [], [([mini_transformer.START], 0.0)]
    while open_texts:
        codes, score = open_texts.pop()
        if codes[-1] == mini_transformer.END or len(codes) == longest:
            texts.append((score, codes))
            continue
        following = step(torch.tensor([codes]))[0].tolist()
        open_texts += [([*codes, code], score + following[code]) for code in range(4)]
    best_score, best_codes = max(texts)
    codes, score = mini_transformer.beam_search(step, 4**longest, longest)
    assert codes.tolist() == best_codes and score == pytest.approx(best_score, abs=1e-5)
    widths = [mini_transformer.beam_search(step, width, longest)[1] for width in (1, 4**longest)]
    assert widths[0] <= widths[1]


def test_a_beam_of_one_is_greedy(mini_transformer):
    model, source = small_translator(mini_transformer)
    together = mini_transformer.greedy(model, source)
    assert together.shape == (2, 12) and (together[:, 0] == mini_transformer.START).all()
    for text, row, source_row in zip(("1 May 1999", "May"), together, source):
        step = mini_transformer.translation_step(model, text)
        codes, score = mini_transformer.beam_search(step, 1)
        assert torch.equal(codes, row[: len(codes)]) and (row[len(codes) :] == mini_transformer.PAD).all()
        probability = mini_transformer.text_probabilities(model, source_row[None], codes[None]).item()
        assert probability == pytest.approx(math.exp(score), rel=1e-4)


def test_greedy_stops_and_fills_up(mini_transformer):
    model, source = small_translator(mini_transformer)
    with torch.no_grad():
        model.read_out.bias[mini_transformer.END] = 1e4
    assert (
        mini_transformer.greedy(model, source).tolist()
        == [[mini_transformer.START, mini_transformer.END]] * 2
    )


def test_padding_does_not_count_in_a_text_probability(mini_transformer):
    model, source = small_translator(mini_transformer)
    target = mini_transformer.encode(["<1>", "<23>"])
    both = mini_transformer.text_probabilities(model, source, target)
    first = mini_transformer.text_probabilities(model, source[:1], target[:1, :3])
    torch.testing.assert_close(both[:1], first)
    chances = model(source[:1], target[:1, :2]).softmax(dim=-1)[0]
    torch.testing.assert_close(first[0], chances[0, target[0, 1]] * chances[1, target[0, 2]])


def test_reading_weights_match_the_library(mini_transformer):
    model, source = small_translator(mini_transformer)
    target = mini_transformer.encode(["<1999", "<2"])
    ours, caught = model.decoder[-1].cross_attention, []
    handle = ours.register_forward_hook(lambda module, inputs, output: caught.append(inputs))
    with torch.no_grad():
        _, weights = model.decode(target, *model.encode(source))
    handle.remove()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        for a, b in zip(stacked(dict(ours.named_parameters())), theirs.parameters(), strict=True):
            b.copy_(a)
    x, memory, mask = caught[0]
    _, expected = theirs(x, memory, memory, key_padding_mask=~mask[:, 0, 0], average_attn_weights=False)
    torch.testing.assert_close(weights, expected)
    assert not weights[1, :, :, 3:].any()


def test_what_is_hidden_is_not_read(mini_transformer):
    model, date = mini_transformer.model, mini_transformer.test_dates[3]
    whole, _ = mini_transformer.read_with_hidden(model, date, None)
    text = mini_transformer.spellings(date)[mini_transformer.FORM]
    row = mini_transformer.greedy(model, mini_transformer.encode([text]))[0]
    assert mini_transformer.decode(row.tolist()) == whole
    pieces = mini_transformer.places(date)
    assert text[pieces["year"]] == str(date.year) and text[pieces["day"]].startswith(str(date.day))
    assert text[pieces["month"]] == mini_transformer.MONTHS[date.month - 1]
    for part, piece in pieces.items():
        _, weights = mini_transformer.read_with_hidden(model, date, part)
        assert not weights[:, piece].any() and weights.shape == (11, len(text))
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(11))


def test_new_days_are_read_and_a_new_form_is_not(mini_transformer):
    m = mini_transformer
    assert m.seen_accuracy >= 0.95 and m.exact[8] < m.seen_accuracy - 0.4
    assert len(m.exact) == 9
    days = set(m.test_dates), set(m.validation_dates), set(m.train_dates)
    assert [len(part) for part in days] == [1000, 500, 36525 - 1500] and len(set.union(*days)) == 36525
    assert len(m.all_wrong) == round((1 - m.seen_accuracy) * 8 * len(m.checked))
    assert m.overfit[0] > 3.3 and m.overfit[-1] < 0.05
    assert m.losses[-20:].mean() > m.floor and len(m.validation_losses) == 18
    assert m.medians["wrong"] < m.medians["right"]
    assert (m.read_from.argmax(axis=1) == range(3)).all() and (m.read_from.sum(axis=1) <= 1).all()
    hidden = [[m.right_when_hidden[part][other] for other in m.PARTS] for part in m.PARTS]
    assert np.diagonal(hidden).max() < 0.35 and min(m.right_when_hidden[None].values()) > 0.9
    assert all(np.argmin(row) == k for k, row in enumerate(hidden))
    for a, b in zip(m.trained.cpu().parameters(), m.model.parameters(), strict=True):
        assert torch.equal(a, b)  # the checkpoint holds what was trained


# 12.8 language_model


def test_each_learned_merge_is_of_a_most_frequent_pair(language_model):
    text = language_model.text[300_000:304_000] + " aaaa aaa"
    merges = language_model.learn_merges(text, 320)
    chunks = [chunk.encode("utf-8").decode("latin-1") for chunk in language_model.CHUNK.findall(text)]
    for token, pair in enumerate(merges, start=256):
        counts = Counter(a + b for chunk in chunks for a, b in zip(chunk, chunk[1:]))
        assert counts[pair] == max(counts.values())
        chunks = [chunk.replace(pair, chr(token)) for chunk in chunks]
    assert len(merges) == 64
    assert language_model.encode(text, merges) == [ord(symbol) for chunk in chunks for symbol in chunk]


def test_learning_stops_where_no_pair_is_left(language_model):
    assert language_model.learn_merges("", 300) == []
    assert language_model.learn_merges("ab", 300) == ["ab"]
    for text in ("low lower newest widest", "aaa aaa"):
        merges = language_model.learn_merges(text, 1024)
        assert 0 < len(merges) < 20
        tokens = language_model.encode(text, merges)
        assert language_model.decode(tokens, merges) == text
        assert len(tokens) == len(language_model.CHUNK.findall(text))  # every chunk is one token


@pytest.mark.parametrize("string", ["", "whale", "naïve 白鲸 🐳\r\n\t _x_  1851", "the thethe"])
def test_encoded_text_survives(language_model, string):
    tokens = language_model.encode(string, language_model.merges)
    assert language_model.decode(tokens, language_model.merges) == string
    assert language_model.decode([119, 0xFF], language_model.merges) == "w\ufffd"


def test_ngram_bits_on_a_case_for_pencil_and_paper(language_model):
    bits = language_model.ngram_bits(np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1]), 2, 3)
    assert bits == pytest.approx(-math.log2(8 / 15))  # the case of lesson 11.6
    bits = language_model.ngram_bits(np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1]), 1, 3)
    assert bits == pytest.approx(-math.log2(4 / 9 * 1 / 3) / 2)
    with pytest.raises(ValueError, match="runs of 5 codes out of 7000"):
        language_model.ngram_bits(np.arange(20), np.arange(20), 5, 7000)


def test_counted_names_on_a_case_for_pencil_and_paper(language_model):
    model = language_model.NGram(["aa", "ab"], 2)
    symbols = language_model.SYMBOLS
    unigram = {symbol: (count + 3 / 27) / 9 for symbol, count in (("a", 3), ("b", 1), (">", 2), ("z", 0))}
    p = dict(zip(symbols, model.probabilities("")))  # two names begin, both with a
    assert p["a"] == pytest.approx((2 + unigram["a"]) / 3) and p["z"] == pytest.approx(unigram["z"] / 3)
    p = dict(zip(symbols, model.probabilities("zza")))  # after a: a, b and the end once each
    assert p["b"] == pytest.approx((1 + 3 * unigram["b"]) / 6)
    p = dict(zip(symbols, model.probabilities("q")))  # never seen
    assert p["b"] == pytest.approx(unigram["b"]) and sum(p.values()) == pytest.approx(1)
    expected = [model.probabilities(text)[symbols.index(symbol)] for text, symbol in (("", "a"), ("a", ">"))]
    assert model.bits(["a"]) == pytest.approx(-np.log2(expected).mean())


def test_names_become_inputs_and_answers(language_model):
    x, y = language_model.name_codes(["ab", "z"])
    assert x[:, :4].tolist() == [[0, 1, 2, 0], [0, 26, 0, 0]]
    assert y[:, :4].tolist() == [[1, 2, 0, -100], [26, 0, -100, -100]]
    assert (y[:, 4:] == -100).all() and x.shape == y.shape == (2, language_model.N_PLACES)
    for wrong in ("Ann", "a" * language_model.N_PLACES, "josé"):
        with pytest.raises(ValueError, match=f"got '{wrong}'"):
            language_model.name_codes([wrong])
    parts = language_model.test_names, language_model.validation_names, language_model.train_names
    assert sum(map(len, parts)) == len(set().union(*parts)) == 8403


def test_batches_of_names_end_with_the_longest(language_model):
    lm = language_model
    for x, y in (next(lm.name_batches(n, seed=n)) for n in (1, 7, 8000)):
        ends = (y == 0).int().argmax(dim=1)  # (B,)
        assert x.shape == y.shape == (len(x), ends.max() + 1) and (x[:, 0] == 0).all()
        for row, answer, end in zip(x[:9], y[:9], ends):
            name = "".join(lm.SYMBOLS[code] for code in answer[:end])
            assert name in lm.train_names and torch.equal(row[1 : end + 1], answer[:end])
            assert (answer[end + 1 :] == -100).all()


def test_bits_per_letter_leave_the_padding_out(language_model):
    model = language_model.LanguageModel(27, 8, 1, 2, language_model.N_PLACES).to(language_model.device)
    names, costs = ["ann", "maximilian"], []
    for name in names:
        for i, symbol in enumerate(name + ">"):
            p = language_model.next_letter(model, name[:i])
            costs.append(-math.log2(p[language_model.SYMBOLS.index(symbol)]))
    assert language_model.bits_per_letter(model, names) == pytest.approx(np.mean(costs), rel=1e-4)


def test_names_are_drawn_until_their_end(language_model):
    end = np.eye(27)[0]
    assert language_model.draw_name(lambda text: end, torch.Generator()) == ""
    always_a = language_model.draw_name(lambda text: np.eye(27)[1], torch.Generator())
    assert always_a == "a" * (language_model.N_PLACES - 1)
    spell = iter("noah>")
    drawn = language_model.draw_name(
        lambda text: np.eye(27)[language_model.SYMBOLS.index(next(spell))], torch.Generator()
    )
    assert drawn == "noah"
    cold = language_model.next_letter(language_model.writer, "ma", temperature=0.5)
    warm = language_model.next_letter(language_model.writer, "ma")
    torch.testing.assert_close(cold, warm**2 / (warm**2).sum())


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 7, 5), (3, 1, 11, 2)])
def test_causal_attention_matches_the_library(language_model, shape):
    torch.manual_seed(0)
    *inputs, cotangent = torch.randn(4, *shape, dtype=torch.float64)
    inputs = [part.requires_grad_() for part in inputs]
    outputs = (
        language_model.causal_attention(*inputs),
        F.scaled_dot_product_attention(*inputs, is_causal=True),
    )
    ours, theirs = ((out, *torch.autograd.grad((out * cotangent).sum(), inputs)) for out in outputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def library_block(block):
    """nn.TransformerEncoderLayer with the block's weights, and ours in the order of its parameters."""
    width, weight = block.project_out.in_features, block.project_in.weight
    layer = nn.TransformerEncoderLayer(
        width, block.n_heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    ).to(weight)
    parts = block.project_in, block.project_out, block.feed_forward[0], block.feed_forward[2]
    ours = [p for part in (*parts, block.attention_norm, block.feed_forward_norm) for p in part.parameters()]
    with torch.no_grad():
        for our, their in zip(ours, layer.parameters(), strict=True):
            their.copy_(our)
    return layer, ours


@pytest.mark.parametrize("sizes", [(1, 1, 4, 1), (3, 7, 15, 5), (2, 13, 6, 3)])
def test_block_matches_encoder_layer_with_causal_mask(language_model, sizes):
    n_batch, n_positions, width, n_heads = sizes
    torch.manual_seed(0)
    block = language_model.Block(width, n_heads).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
    layer, ours = library_block(block)
    x, cotangent = torch.randn(2, n_batch, n_positions, width, dtype=torch.float64)
    x.requires_grad_()
    mask = ~torch.ones(n_positions, n_positions, dtype=torch.bool).tril()
    outputs = block(x), layer(x, src_mask=mask, is_causal=True)
    ours, theirs = (
        (out, *torch.autograd.grad((out * cotangent).sum(), [x, *parameters]))
        for out, parameters in zip(outputs, (ours, list(layer.parameters())))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def small_model(language_model, n_positions=12, dropout=0.0):
    """A double-precision model on the CPU whose every weight matters."""
    torch.manual_seed(0)
    model = language_model.build(20, language_model.IDEAS, 3, 4, n_positions, dropout).cpu().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


def test_the_future_does_not_leak(language_model):
    model, x = small_model(language_model), torch.arange(24).view(2, 12) * 17
    whole = model(x)
    for t in range(12):
        changed = x.clone()
        changed[:, t] += 1
        moved = (model(changed) != whole).any(dim=-1)
        assert not moved[:, :t].any() and moved[:, t:].all()


def test_models_differ_where_order_differs(language_model):
    model, x = small_model(language_model), torch.tensor([[3, 5, 7], [5, 3, 7]])
    first, second = model(x)[:, -1]
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("n_prompt", [1, 5, 12])
def test_cached_logits_match_uncached(language_model, n_prompt):
    model, x = small_model(language_model), torch.randint(1024, (2, 12))
    caches = [[] for _ in model.blocks]
    read_on = language_model.read_on
    pieces = [read_on(model, x[:, :n_prompt], caches)]
    pieces += [read_on(model, x[:, t : t + 1], caches) for t in range(n_prompt, 12)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(x), rtol=1e-10, atol=1e-12)
    assert [part.shape for part in caches[-1]] == [(2, 4, 12, 5)] * 2
    with pytest.raises(ValueError, match="after 12 of 12 positions"):
        read_on(model, x[:, :1], caches)
    caches = [[] for _ in model.blocks]
    pieces = [read_on(model, x[:, part], caches) for part in (slice(0, 3), slice(3, 5), slice(5, 12))]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(x), rtol=1e-10, atol=1e-12)


def test_wrong_positions_are_named(language_model):
    model, x = small_model(language_model), torch.randint(1024, (1, 13))
    with pytest.raises(ValueError, match=r"\(1, 13\) after 0 of 12"):
        model(x)
    caches = [[] for _ in model.blocks]
    language_model.read_on(model, x[:, :3], caches)
    with pytest.raises(ValueError, match=r"\(1, 10\) after 3 of 12"):
        language_model.read_on(model, x[:, :10], caches)
    with pytest.raises(ValueError, match="3 heads cannot share 10 features"):
        language_model.Block(10, 3)


def test_ideas_change_what_they_say(language_model):
    ideas = language_model.IDEAS
    models = {k: language_model.build(48, ideas[:k], 2, 4, 8) for k in range(6)}
    for k, model in models.items():
        assert model.blocks[0].project_in.weight.std().item() == pytest.approx(
            48**-0.5 if k else 0.02, rel=0.1
        )
        down = model.blocks[1].feed_forward[2].weight.std().item()
        assert down == pytest.approx((4 * 48) ** -0.5 if k else 0.02, rel=0.1)
        assert model.token.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert model.scale == (50 if k > 1 else 1)
        assert model.position.weight.std().item() == pytest.approx(0.002 if k > 1 else 0.02, rel=0.2)
        bias = model.head.bias.exp().sum().item()
        assert bias == pytest.approx(1 if k > 2 else 1024, rel=1e-4)
        assert (model.head.weight is model.token.weight) == (k == 5)


def test_dropout_only_in_training(language_model):
    model, x = small_model(language_model, dropout=0.3), torch.randint(1024, (1, 12))
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_first_losses_are_predicted(language_model):
    first = language_model.first_losses
    assert first["nothing"] == pytest.approx(math.log(1024), abs=0.1)
    counts = np.bincount(language_model.train_tokens, minlength=1024) + 1
    entropy = -(counts / counts.sum() * np.log(counts / counts.sum())).sum()
    assert language_model.entropy == pytest.approx(entropy, rel=1e-5)
    assert [first[name] for name in ("output bias", "warm-up", "tying")] == pytest.approx(
        [entropy] * 3, abs=0.3
    )


@pytest.mark.parametrize("n_warm_up, shares", [(0, (1, 1, 1, 1, 1)), (2, (0.5, 1, 1, 1, 1))])
def test_fit_is_adamw_with_clipping_warm_up_and_cosine(language_model, n_warm_up, shares):
    ours, theirs = (small_model(language_model).float() for _ in range(2))
    ours.to(language_model.device), theirs.to(language_model.device)
    losses = language_model.fit(ours, language_model.windows(3, 12), 5, 0.01, n_warm_up)
    matrices = [parameter for parameter in theirs.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in theirs.parameters() if parameter.ndim == 1]  # do not decay
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99))
    generator, expected = torch.Generator().manual_seed(0), []
    for step in range(5):
        factor = shares[step] * 0.5 * (1 + math.cos(math.pi * step / 5))
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * factor
        starts = torch.randint(len(language_model.train_tokens) - 12, (3, 1), generator=generator)
        rows = torch.stack([language_model.train_tokens[i : i + 13] for i in starts.flatten().tolist()])
        logits = theirs(rows[:, :-1].to(language_model.device))
        loss = F.cross_entropy(logits.mT, rows[:, 1:].to(language_model.device))
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
    if language_model.on_cpu:  # elsewhere the lesson's products are in bfloat16
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            if not name.endswith("project_in.bias"):  # keys' biases have no gradient but rounding
                torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)
    assert losses.shape == (5,) and not ours.training


class Frequencies(nn.Module):
    """Scores by what the token before was, from a table: (B, T) to (B, T, 1024)."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, x):
        return self.table[x.cpu()].to(x.device)


def test_bits_per_byte_of_a_model_that_knows_frequencies(language_model):
    torch.manual_seed(0)
    table, tokens = torch.randn(1024, 1024), language_model.test_tokens
    nats = F.cross_entropy(table[tokens[:-1]], tokens[1:]).item()
    expected = nats / math.log(2) * len(tokens) / len(language_model.test_text.encode("utf-8"))
    for n_positions in (64, 101):
        assert language_model.bits_per_byte(Frequencies(table), n_positions) == pytest.approx(
            expected, rel=2e-3
        )
    few = F.cross_entropy(table[tokens[:128]], tokens[1:129]).item() / nats * expected
    assert language_model.bits_per_byte(Frequencies(table), 64, most=2) == pytest.approx(few, rel=1e-4)


def test_greedy_writing_takes_the_likeliest(language_model):
    model, prompt = small_model(language_model), [5, 900, 31]
    written = language_model.write(model, prompt, 6, 1.0, 1, torch.Generator().manual_seed(0))
    assert written[:3] == prompt and len(written) == 9
    for t in range(3, 9):
        assert written[t] == model(torch.tensor([written[:t]]))[0, -1].argmax().item()


def test_same_text_with_and_without_a_cache(language_model):
    model = small_model(language_model)
    texts = [
        language_model.write(model, list(range(20)), 30, 0.9, 50, torch.Generator().manual_seed(1), cached)
        for cached in (True, False)
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 50
    assert texts[0] != language_model.write(model, list(range(20)), 30, 0.9, 50, torch.Generator())
    # the window starts anew with its last half: token 32 is guessed from six tokens
    logits = model(torch.tensor([texts[0][26:32]]))[0, -1]
    greedy = language_model.write(model, texts[0][19:32], 1, 1.0, 1, torch.Generator())
    assert greedy[-1] == logits.argmax().item()


def test_colder_writing_is_likelier(language_model):
    model, generator = small_model(language_model), torch.Generator().manual_seed(0)
    likeliest = model(torch.tensor([[7]]))[0, -1].argmax().item()
    shares = []
    for temperature in (0.05, 20.0):
        drawn = [language_model.write(model, [7], 1, temperature, 1024, generator)[1] for _ in range(40)]
        shares.append(np.mean([token == likeliest for token in drawn]))
    assert shares[0] > shares[1] + 0.3


def test_bad_writing_is_named(language_model):
    for prompt, temperature, top_k in (([], 1.0, 5), ([1], 0.0, 5), ([1], 1.0, 0)):
        with pytest.raises(ValueError, match="need a prompt, temperature > 0, top_k >= 1"):
            language_model.write(
                small_model(language_model), prompt, 3, temperature, top_k, torch.Generator()
            )


def test_writing_at_any_temperature_is_finite(language_model):
    model = small_model(language_model)
    coldest = language_model.write(model, [5], 4, 1e-320, 1024, torch.Generator().manual_seed(0))
    assert coldest == language_model.write(model, [5], 4, 1.0, 1, torch.Generator().manual_seed(0))


def test_networks_pass_the_counts_on_names(language_model):
    lm = language_model
    counted = lm.NGram(lm.train_names, 4).bits(lm.test_names)
    assert counted == pytest.approx(lm.best_count) and 2.8 < counted < 3.1
    assert max(lm.name_bits) < counted and max(lm.lstm_bits) < counted + 0.05
    runs = {
        "Transformer": (lm.name_models, lm.name_curves, lm.name_bits),
        "LSTM": (lm.lstm_models, lm.lstm_curves, lm.lstm_bits),
    }
    for models, curves, bits in runs.values():
        assert len(models) == len(curves) == len(bits) == 3
        found = lm.bits_per_letter(models[1], lm.test_names)
        assert found == pytest.approx(bits[1], rel=1e-4)
        assert curves[0][:20].mean() > curves[0][-20:].mean() + 1
    assert all(
        len(texts) == 200 and set("".join(texts)) <= set(lm.SYMBOLS[1:]) for texts in lm.drawn.values()
    )
    assert lm.novel["1-grams"] > lm.novel["4-grams"]
    torch.testing.assert_close(lm.expected.sum(dim=1), torch.ones(len(lm.expected), dtype=torch.float64))


def test_the_book_is_learned_as_told(language_model):
    lm = language_model
    assert lm.byte_bits["2 tokens, counted"] == pytest.approx(2.36, abs=0.05)
    assert lm.vocabulary == 1024 and len(lm.log) == 6
    if lm.on_cpu:
        assert lm.again == lm.samples[0.8] and len(lm.again) == 80 + len(lm.prompt)
        assert 2.3 < lm.byte_bits["Transformer"] < lm.byte_bits["3 characters, counted"] < 3.0
        assert lm.log["nothing"] > lm.log["warm-up"] + 0.25


# numbers of every kind


QUERY, KEY, VALUE, WEIGHT = (
    np.random.default_rng(0).integers(0, 4, s).astype(float)
    for s in [(2, 5, 4), (2, 3, 4), (2, 3, 2), (4, 4)]
)
PARAMETERS = [np.random.default_rng(1).normal(size=s) for s in [(12, 4), (12,), (4, 4), (4,)]]


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("self_attention", lambda m, q, k, v: m.attention(q, k, v), [QUERY, KEY, VALUE]),
        ("self_attention", lambda m, q, k, v: m.attention_fast(q, k, v)[0], [QUERY, KEY, VALUE]),
        ("self_attention", lambda m, q, k, v: m.attention_blockwise(q, k, v), [QUERY, KEY, VALUE]),
        ("self_attention", lambda m, x, w: m.self_attention(x, w, w, w), [QUERY, WEIGHT]),
        (
            "self_attention",
            lambda m, g, q, k, v: m.attention_backward(g, q, k, v, m.attention(q, k, v)[1]),
            [QUERY[..., :2], QUERY, KEY, VALUE],
        ),
        ("multi_head_attention", lambda m, q, k, v: m.attention(q, k, v), [QUERY, KEY, KEY]),
        (
            "multi_head_attention",
            lambda m, x, w: m.list_of_heads(x, [(w[:2],) * 3, (w[2:],) * 3], w),
            [QUERY, WEIGHT],
        ),
        ("multi_head_attention", lambda m, x: m.split_heads(x, 2), [QUERY]),
        ("why_attention", lambda m, q, k, v: m.soft_look_up(q, k, v, 2.0), [QUERY[0, 0], KEY[0], VALUE[0]]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory, in float32 and float64."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays)


@pytest.mark.parametrize("form", ["attention", "attention_fast", "attention_blockwise"])
def test_one_sentence_or_none_is_attended_to(self_attention, any_numbers, form):
    def output(*args):
        result = getattr(self_attention, form)(*args)
        return result[0] if isinstance(result, tuple) else result

    any_numbers(output, QUERY, KEY, VALUE, batch=(0, 1, 2))


# settings at the edge


@pytest.mark.parametrize(
    "stem, make",
    [
        ("multi_head_attention", lambda m: m.split_heads(np.ones((1, 2, 10)), 3)),
        ("multi_head_attention", lambda m: m.MultiHeadAttention(10, 3)),
        ("multi_head_attention", lambda m: m.LookUp(3, n_features=10)),
        ("positional_encoding", lambda m: m.MultiHeadAttention(10, 3)),
        ("positional_encoding", lambda m: m.RotaryAttention(10, 3)),
        ("encoder_block", lambda m: m.MultiHeadAttention(10, 3)),
        ("encoder_block", lambda m: m.EncoderBlock(10, 3, 4)),
        ("encoder_block", lambda m: m.DecoderBlock(10, 3, 4)),
        ("encoder_block", lambda m: m.Sorter(10, 3, 1, norm_first=True)),
        ("mini_transformer", lambda m: m.MultiHeadAttention(10, 3)),
        ("mini_transformer", lambda m: m.EncoderBlock(10, 3, 4)),
        ("mini_transformer", lambda m: m.DecoderBlock(10, 3, 4)),
        ("mini_transformer", lambda m: m.Transformer(5, 10, 3, 4, 1)),
        ("language_model", lambda m: m.Block(10, 3)),
        ("language_model", lambda m: m.LanguageModel(5, 10, 1, 3, 4)),
        ("language_model", lambda m: m.build(10, m.IDEAS, 1, 3, 4)),
        ("pretrained_encoder", lambda m: m.EncoderBlock(10, 3, 4)),
    ],
)
def test_heads_that_cannot_share_the_features_are_named(lesson, stem, make):
    with pytest.raises(ValueError, match="3 heads cannot share 10 features"):
        make(lesson(stem))


@pytest.mark.parametrize(
    "stem, call",
    [
        ("positional_encoding", lambda m: m.sinusoidal(3, 5)),
        ("positional_encoding", lambda m: m.SinusoidalPositions(3, 5)),
        ("positional_encoding", lambda m: m.RotaryAttention(5, 1)(torch.ones(1, 2, 5))),
        ("mini_transformer", lambda m: m.sinusoids(3, 5)),
        ("mini_transformer", lambda m: m.Transformer(7, 5, 1, 4, 1)),
    ],
)
def test_an_odd_width_of_sines_is_named(lesson, stem, call):
    with pytest.raises(ValueError, match="pairs, got 5|got 5 features"):
        call(lesson(stem))


def fit_language_model(m, n_steps, learning_rate, n_warmup):
    torch.manual_seed(0)
    model = m.LanguageModel(m.N_SYMBOLS, 8, 1, 2, m.N_PLACES).to(m.device)
    return m.fit(model, m.name_batches(10_000, seed=0), n_steps, learning_rate, n_warmup)


def sort_names(m, n_steps, learning_rate, n_warmup):
    torch.manual_seed(0)
    model = m.Sorter(8, 2, 1, norm_first=True)
    return m.train(model, 0, n_steps, 10_000, learning_rate, n_warmup)


@pytest.mark.parametrize(
    "n_steps, learning_rate, n_warmup", [(0, 0.01, 0), (1, 0.0, 0), (2, 100.0, 5), (2, 0.01, 2)]
)
@pytest.mark.parametrize(
    "stem, train",
    [
        ("encoder_block", sort_names),
        ("mini_transformer", lambda m, *settings: m.train(0, *settings)[1]),
        ("language_model", fit_language_model),
    ],
)
def test_training_takes_settings_at_the_edge(lesson, stem, train, n_steps, learning_rate, n_warmup):
    """No step, a warm-up longer than the run, no rate or a huge one; batches larger than the data."""
    losses = train(lesson(stem), n_steps, learning_rate, n_warmup)
    assert losses.shape == (n_steps,) and np.isfinite(losses).all()


@pytest.mark.parametrize(
    "stem, make, fit",
    [
        (
            "multi_head_attention",
            lambda m: m.LookUp(2),
            lambda m, model: m.fit(model, m.look_up_loss, 0, n_steps=0),
        ),
        (
            "positional_encoding",
            lambda m: m.make_reader("sines", 0),
            lambda m, model: m.fit(model, 0, n_steps=0),
        ),
    ],
)
def test_no_steps_leave_the_weights_alone(lesson, stem, make, fit):
    m = lesson(stem)
    model = make(m)
    before = [parameter.clone() for parameter in model.parameters()]
    fit(m, model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_more_steps_than_batches_are_named(mini_transformer):
    with pytest.raises(ValueError, match="100000 steps, but the pairs make"):
        mini_transformer.train(0, n_steps=100_000)


def test_the_share_of_the_rate_is_never_negative(mini_transformer):
    for n_steps, n_warmup in [(1, 0), (5, 0), (5, 5), (7, 3), (100, 20)]:
        shares = [mini_transformer.rate_share(step, n_steps, n_warmup) for step in range(n_steps + 1)]
        assert min(shares) >= 0 and max(shares) <= 1


# names and texts of one's own


FIVE_WORDS = "Call me Ishmael. Some years"


@pytest.mark.parametrize(
    "stem, file, typed, says",
    [
        ("encoder_block", "names.txt", "ann\nEmma\n", "letters a to z, got 'Emma'"),
        ("encoder_block", "names.txt", "ann\nzoé\n", "got 'zoé'"),
        ("encoder_block", "names.txt", "ann\n", "1 names of up to 8 letters are too few"),
        ("encoder_block", "names.txt", "", "0 names of up to 8 letters are too few"),
        ("language_model", "names.txt", "Ann\n" * 2000, "got 'Ann'"),
        ("language_model", "names.txt", "ann\n", "1 names are too few"),
        ("language_model", "moby_dick.txt", "", "a text of 0 characters is too short"),
        ("language_model", "moby_dick.txt", FIVE_WORDS, "a text of 27 characters is too short"),
        ("positional_encoding", "moby_dick.txt", "", "0 letters a to z and gaps are too few"),
        ("positional_encoding", "moby_dick.txt", "白鲸" * 999, "letters a to z and gaps are too few"),
        ("positional_encoding", "moby_dick.txt", FIVE_WORDS, "26 letters a to z and gaps are too few"),
        ("tokenization_bpe", "moby_dick.txt", "", "a text of 0 words is too short"),
        ("tokenization_bpe", "moby_dick.txt", FIVE_WORDS, "a text of 5 words is too short"),
    ],
)
def test_a_file_of_another_kind_is_named(lesson, read_instead, stem, file, typed, says):
    m = lesson(stem)
    with pytest.raises(ValueError, match=says):
        read_instead(m, typed, file)


def test_names_of_another_kind_are_named(language_model):
    lm = language_model
    model = lm.LanguageModel(lm.N_SYMBOLS, 8, 1, 2, lm.N_PLACES).to(lm.device)
    for wrong in ("Ada", "zoé", "a b", "a" * lm.N_PLACES):
        with pytest.raises(ValueError, match=f"letters a to z, got '{wrong}'"):
            lm.next_letter(model, wrong)
        with pytest.raises(ValueError, match=f"letters a to z, got '{wrong}'"):
            lm.NGram(["ann"], 2).bits([wrong])


@pytest.mark.parametrize("wrong", [[], [""], ["ann", ""]])
def test_names_without_a_letter_are_refused(self_attention, wrong):
    with pytest.raises(ValueError, match="every name needs a letter"):
        self_attention.one_hot_names(wrong)


def test_dates_of_another_kind_are_named(mini_transformer):
    for wrong, says in (([""], "empty"), (["1 May", ""], "empty"), (["1 Мая"], "outside the vocabulary")):
        with pytest.raises(ValueError, match=says):
            mini_transformer.encode(wrong)
    model, _ = small_translator(mini_transformer)
    row = mini_transformer.greedy(model, mini_transformer.encode(["May " * 5]))[0]
    assert row[0] == mini_transformer.START and len(row) <= 12


def test_a_book_shorter_than_a_window_is_named(language_model, monkeypatch):
    monkeypatch.setattr(language_model, "train_tokens", torch.arange(12))
    monkeypatch.setattr(language_model, "test_tokens", torch.arange(12))
    model = small_model(language_model)
    with pytest.raises(ValueError, match="12 tokens are too few for windows of 12"):
        next(language_model.windows(2, 12))
    with pytest.raises(ValueError, match="12 test tokens are too few for a window of 12"):
        language_model.bits_per_byte(model, 12)


# benchmarks: 12.2 and 12.3


def causal_flops(n_heads, n, d):
    """Multiplications and additions of causal attention's two products, the triangle only."""
    return n_heads * n * (n + 1) // 2 * 2 * 2 * d


def explicit_attention(query, key, value, mask):
    """Plain PyTorch: the whole matrix of scores."""
    scores = query * query.shape[-1] ** -0.5 @ key.mT  # (B, H, T, d) @ (B, H, d, T) -> (B, H, T, T)
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1) @ value  # -> (B, H, T, d)


def attention_speed(self_attention, timed, device, implementation, both):
    """Causal attention rows at (8, 4, 256, 32), float32."""
    if implementation.startswith("numpy") and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    (n_batch, n_heads, n, d), rng = (8, 4, 256, 32), np.random.default_rng(0)
    arrays = rng.normal(size=(4, n_batch, n_heads, n, d)).astype(np.float32)
    *arrays, cotangent = arrays
    mask = np.tri(n, dtype=bool)
    tensors = [torch.tensor(array, device=device, requires_grad=both) for array in arrays]
    torch_cotangent, torch_mask = (torch.tensor(array, device=device) for array in (cotangent, mask))

    def plain():
        out, weights = self_attention.attention(*arrays, mask)
        return out, *(self_attention.attention_backward(cotangent, *arrays, weights) if both else ())

    def fast():
        out, cache = self_attention.attention_fast(*arrays, mask, keep=both)
        return out, *(self_attention.attention_fast_backward(cotangent, cache) if both else ())

    def blockwise():
        return (self_attention.attention_blockwise(*arrays, causal=True),)

    def with_gradients(out):
        return (
            out.detach(),
            *(torch.autograd.grad(out, tensors, torch_cotangent) if both else ()),
        )

    def explicit():
        return with_gradients(explicit_attention(*tensors, torch_mask))

    def library():
        return with_gradients(F.scaled_dot_product_attention(*tensors, is_causal=True))

    rows = {
        "numpy": plain,
        "numpy, fast": fast,
        "numpy, blockwise": blockwise,
        "torch, explicit": explicit,
        "torch, library": library,
    }
    flops = (3 if both else 1) * causal_flops(n_batch * n_heads, n, d)
    results = timed(rows[implementation], flops=flops)
    for ours, theirs in zip(results, library(), strict=True):
        ours = ours.cpu().numpy() if isinstance(ours, torch.Tensor) else ours
        np.testing.assert_allclose(ours, theirs.cpu().numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.benchmark(group="causal attention forward, (8, 4, 256, 32), float32")
@pytest.mark.parametrize(
    "implementation", ["numpy", "numpy, fast", "numpy, blockwise", "torch, explicit", "torch, library"]
)
def test_attention_forward_speed(self_attention, timed, device, implementation):
    attention_speed(self_attention, timed, device, implementation, both=False)


@pytest.mark.benchmark(group="causal attention forward and backward, (8, 4, 256, 32), float32")
@pytest.mark.parametrize("implementation", ["numpy", "numpy, fast", "torch, explicit", "torch, library"])
def test_attention_both_ways_speed(self_attention, timed, device, implementation):
    attention_speed(self_attention, timed, device, implementation, both=True)


@pytest.mark.benchmark(group="causal attention forward on CUDA, (2, 8, n, 64)")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, compiled", "torch, library"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", [1024, 4096])
def test_long_attention_speed(benchmark, timed, device, compiled, n, dtype, implementation):
    if device.type != "cuda":
        pytest.skip("long sequences are for a GPU")
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 8, n, 64, device=device, dtype=dtype)
    mask = torch.ones(n, n, dtype=torch.bool, device=device).tril()

    def library():
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    f = compiled(explicit_attention) if implementation == "torch, compiled" else explicit_attention
    run = library if implementation == "torch, library" else lambda: f(query, key, value, mask)
    with torch.no_grad():
        expected = library()
        run()
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        peak = torch.cuda.max_memory_allocated() - held
        benchmark.extra_info["peak MB"] = peak / 1e6
        out = timed(run, flops=causal_flops(16, n, 64), dtype=dtype)
    tolerance = 1e-2 if dtype == torch.float32 else 5e-2  # products may use TF32; bfloat16 keeps 8 bits
    torch.testing.assert_close(out, expected, rtol=tolerance, atol=tolerance)
    if implementation == "torch, library":
        assert peak < 16 * n * n * query.element_size()  # less than one matrix of scores


@pytest.mark.benchmark(group="multi-head attention forward, (8, 256, 128), 4 heads, float32")
@pytest.mark.parametrize("implementation", ["loops", "numpy", "torch, explicit", "torch, library"])
def test_multi_head_forward_speed(multi_head_attention, timed, device, implementation):
    if implementation in ("loops", "numpy") and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    (n_batch, n, n_features, n_heads), rng = (8, 256, 128, 4), np.random.default_rng(0)
    x = rng.normal(size=(n_batch, n, n_features)).astype(np.float32)
    _, module, reference = multi_head_pair(multi_head_attention, n_features, n_heads)
    with torch.no_grad():
        for parameter in (*module.parameters(), *reference.parameters()):
            parameter /= math.sqrt(n_features)
    parameters = [p.detach().numpy().astype(np.float32) for p in reference.parameters()]
    heads = parameters[0].reshape(3, n_heads, -1, n_features).swapaxes(0, 1)  # (3D, D) -> (H, 3, d, D)
    module, reference = module.float().to(device), reference.float().to(device).eval()
    torch_x = torch.from_numpy(x).to(device)

    def library():
        return reference(torch_x, torch_x, torch_x, need_weights=False)[0]

    rows = {
        "loops": lambda: multi_head_attention.list_of_heads(x, heads, parameters[2]),
        "numpy": lambda: multi_head_attention.multi_head_attention(x, parameters, n_heads)[0],
        "torch, explicit": lambda: module(torch_x)[0],
        "torch, library": library,
    }
    if implementation == "loops":  # it has no biases
        with torch.no_grad():
            for bias in list(reference.parameters())[1::2]:
                bias.zero_()
    products = 4 * n_features * n_features + 2 * n * n_features  # multiplications a position
    with torch.no_grad():
        out = timed(rows[implementation], flops=2 * n_batch * n * products)
        expected = library().cpu().numpy()
    out = out.cpu().numpy() if isinstance(out, torch.Tensor) else out
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)


# benchmarks: 12.5 and 12.7


@pytest.mark.benchmark(group="encoder block forward and backward, (8, 128, 128), 4 heads, float32")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
def test_encoder_block_speed(encoder_block, timed, device, implementation):
    torch.manual_seed(0)
    ours = encoder_block.EncoderBlock(128, 4, 512)
    theirs = nn.TransformerEncoderLayer(128, 4, 512, 0.0, batch_first=True, norm_first=True)
    with torch.no_grad():
        for a, b in zip(stacked(dict(ours.named_parameters())), theirs.parameters(), strict=True):
            b.copy_(a)
    x, cotangent = torch.randn(2, 8, 128, 128).to(device)
    blocks = {"torch, explicit": ours.to(device), "torch, library": theirs.to(device)}

    def step(block):
        return torch.autograd.grad((block(x) * cotangent).sum(), list(block.parameters()))

    n_operations = 3 * 8 * sum(n for _, n in encoder_block.block_costs(128, 512, 128).values())
    found = timed(step, blocks[implementation], flops=n_operations)
    if implementation == "torch, explicit":
        found = stacked(dict(zip([name for name, _ in ours.named_parameters()], found, strict=True)))
    for a, b in zip(found, step(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


# benchmarks: 12.6 and 12.8


@pytest.mark.benchmark(group="BPE training, 100,000 characters, 24 merges")
@pytest.mark.parametrize("implementation", ["loops", "loops, fast"])
def test_bpe_training_speed(tokenization_bpe, timed, implementation):
    text = tokenization_bpe.text[:100_000]
    function = tokenization_bpe.train if "fast" in implementation else tokenization_bpe.train_naive
    assert timed(function, text, 280) == tokenization_bpe.train(text, 280)


@pytest.mark.benchmark(group="BPE encoding, 1,204,997 bytes, 1,024 tokens")
@pytest.mark.parametrize("implementation", ["loops, no chunk known", "loops, all chunks known"])
def test_bpe_encoding_speed(tokenization_bpe, timed, implementation):
    text, tokenizer = tokenization_bpe.text, tokenization_bpe.Tokenizer(tokenization_bpe.merges[:768])

    def encode():
        if "no chunk" in implementation:
            tokenizer.known_chunks.clear()
        return tokenizer.encode(text)

    assert tokenizer.decode(timed(encode, bytes=len(text.encode("utf-8")))) == text


class ListOfHeads(nn.Module):
    """A block of lesson 12.8 whose heads are separate modules, one after another."""

    def __init__(self, block):
        super().__init__()
        width, n_heads = block.project_out.in_features, block.n_heads
        self.block = block
        self.heads = nn.ModuleList(
            nn.ModuleList(nn.Linear(width, width // n_heads) for _ in range(3)) for _ in range(n_heads)
        ).to(block.project_in.weight)
        with torch.no_grad():  # (3D, D) -> (3, H, d, D), (3D,) -> (3, H, d)
            weight = block.project_in.weight.unflatten(0, (3, n_heads, -1))
            bias = block.project_in.bias.unflatten(0, (3, n_heads, -1))
            for h, head in enumerate(self.heads):
                for k, part in enumerate(head):
                    part.weight.copy_(weight[k, h])
                    part.bias.copy_(bias[k, h])
        block.project_in = None

    def forward(self, x):
        normed = self.block.attention_norm(x)
        mixed = [
            F.scaled_dot_product_attention(*(part(normed) for part in head), is_causal=True)
            for head in self.heads
        ]
        x = x + self.block.project_out(torch.cat(mixed, dim=-1))  # H times (B, T, d) -> (B, T, D)
        return x + self.block.feed_forward(self.block.feed_forward_norm(x))


class LibraryBlock(nn.Module):
    """nn.TransformerEncoderLayer with a causal mask, in the place of a block of lesson 12.8."""

    def __init__(self, block, n_positions):
        super().__init__()
        self.layer = library_block(block)[0]
        mask = ~torch.ones(n_positions, n_positions, dtype=torch.bool).tril()
        self.register_buffer("mask", mask.to(block.project_in.weight.device))

    def forward(self, x):
        return self.layer(x, src_mask=self.mask, is_causal=True)


def training_speed(language_model, timed, device, implementation, sizes, compiled=None):
    """One step; sizes: layers, heads, width, positions, batch, vocabulary. Compiled, also in bfloat16."""
    n_layers, n_heads, width, n_positions, batch_size, n_vocabulary = sizes
    torch.manual_seed(0)
    model = language_model.build(width, language_model.IDEAS, n_layers, n_heads, n_positions)
    if n_vocabulary != language_model.vocabulary:
        model.token = nn.Embedding(n_vocabulary, width)
        model.head = nn.Linear(width, n_vocabulary)
        model.head.weight = model.token.weight
    model = model.to(device)
    x, y = torch.randint(n_vocabulary, (2, batch_size, n_positions), device=device)  # (B, T) each
    with torch.no_grad():
        expected = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    if "heads" in implementation:
        model.blocks = nn.ModuleList(ListOfHeads(block) for block in model.blocks)
    if "library" in implementation:
        model.blocks = nn.ModuleList(LibraryBlock(block, n_positions) for block in model.blocks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    run = compiled(model) if compiled else model

    def step():
        with torch.autocast(device.type, torch.bfloat16, enabled=bool(compiled)):
            loss = F.cross_entropy(run(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    first = step()
    torch.testing.assert_close(first, expected, **({"rtol": 2e-2, "atol": 0.1} if compiled else {}))
    n_weights = n_layers * 12 * width * width + n_vocabulary * width
    n_tokens = batch_size * n_positions
    # causal: half the square
    flops = 6 * n_tokens * n_weights + 6 * n_layers * n_tokens * n_positions * width
    timed(step, flops=flops, dtype=torch.bfloat16 if compiled else torch.float32)


@pytest.mark.benchmark(group="language model, one step of 2,048 tokens, 4 layers, width 128, float32")
@pytest.mark.parametrize("implementation", ["torch, list of heads", "torch, explicit", "torch, library"])
def test_language_model_training_speed(language_model, timed, device, implementation):
    training_speed(language_model, timed, device, implementation, (4, 4, 128, 128, 16, 1024))


@pytest.mark.benchmark(
    group="language model, one step of 16,384 tokens, 6 layers, width 384, bfloat16, compiled"
)
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
def test_large_language_model_training_speed(language_model, timed, device, compiled, implementation):
    if device.type != "cuda":
        pytest.skip("too large for a CPU")
    training_speed(language_model, timed, device, implementation, (6, 6, 384, 256, 64, 512), compiled)


@pytest.mark.benchmark(group="sampling 64 tokens after 64, 4 layers, width 128, float32")
@pytest.mark.parametrize("implementation", ["torch, uncached", "torch, cached"])
def test_sampling_speed(language_model, timed, device, implementation):
    torch.manual_seed(0)
    model = language_model.build(128, language_model.IDEAS, 4, 4, 128).to(device).eval()
    prompt = language_model.test_tokens[:64].tolist()

    def sample(cached=implementation == "torch, cached"):
        generator = torch.Generator().manual_seed(0)
        return language_model.write(model, prompt, 64, 1.0, 40, generator, cached)

    assert timed(sample) == sample(cached=True)
