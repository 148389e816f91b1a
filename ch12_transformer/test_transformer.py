"""Chapter 12: what the lessons computed, and how fast their kernels are."""

import random

import numpy as np
import pytest
import torch
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


# 12.1 why_attention


# 12.2 self_attention


ATTENTION_SHAPES = [((1, 1), 1, 1, 1, 1), ((2, 3), 7, 5, 3, 4), ((3,), 5, 11, 8, 2), ((2, 1), 1, 6, 4, 4)]


def attention_inputs(leading, n_queries, n_keys, d, n_values):
    """Random query, key, value, cotangent, and a mask with one empty row wherever there are several."""
    rng = np.random.default_rng(n_queries)
    shapes = (n_queries, d), (n_keys, d), (n_keys, n_values), (n_queries, n_values)
    arrays = [rng.normal(size=(*leading, *shape)) for shape in shapes]
    mask = rng.random((*leading, n_queries, n_keys)) < 0.6
    mask[..., 0, :] = n_queries == 1
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


def test_attention_names_the_shapes_and_the_mask(self_attention):
    query, key = np.ones((2, 3, 4)), np.ones((1, 3, 4))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), \(1, 3, 4\)"):
        self_attention.attention(query, key, key)
    with pytest.raises(ValueError, match="boolean, got int64"):
        self_attention.attention(query, query, query, np.tri(3, dtype=np.int64))


def test_raw_scores_saturate_softmax_and_scaled_ones_do_not(self_attention):
    raw, scaled = self_attention.slope["raw"], self_attention.slope["scaled"]
    assert all(before > after for before, after in zip(raw, raw[1:]))
    assert scaled[-1] > 10 * raw[-1]
    np.testing.assert_allclose(self_attention.spread, np.sqrt(self_attention.sizes_d), rtol=0.1)


def test_only_blocks_escape_the_square(self_attention):
    whole, blocks = ([peak for peak, _ in self_attention.costs[name]] for name in ("whole", "blocks"))
    assert whole[-1] > 4 * self_attention.lengths[-1] ** 2 > 20 * blocks[-1]


# 12.3 multi_head_attention


# 12.4 encoder_block


# 12.5 tokenization_bpe


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


def test_bad_tokens_are_named(tokenization_bpe):
    tokenizer = tokenization_bpe.Tokenizer([(97, 98)], ["<|end|>"])
    assert tokenizer.decode([256, 257]) == "ab<|end|>"
    for wrong in (-1, 258):
        with pytest.raises(ValueError, match=f"0 to 257, got {wrong}"):
            tokenizer.decode([97, wrong])
    for special in (["<a>", "<a>"], [""]):
        with pytest.raises(ValueError, match="special tokens must be different"):
            tokenization_bpe.Tokenizer([], special)


def test_special_tokens_are_obeyed_only_where_allowed(tokenization_bpe):
    tokenizer = tokenization_bpe.Tokenizer([(97, 98)], ["<|a|>", "<|a|><|b|>", "(.)"])
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
    tokenizer = tokenization_bpe.Tokenizer(tokenization_bpe.merges[:50], ["<|鯨|>"])
    tokenizer.save(tmp_path / "file")
    again = tokenization_bpe.Tokenizer.load(tmp_path / "file")
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
        tokenization_bpe.Tokenizer.load(tmp_path / "file")


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


# 12.6 mini_transformer


# 12.7 language_model


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
@pytest.mark.filterwarnings("ignore")  # the compiler's own advice
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, compiled", "torch, library"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", [1024, 4096])
def test_long_attention_speed(benchmark, timed, device, n, dtype, implementation):
    if device.type != "cuda":
        pytest.skip("long sequences are for a GPU")
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 8, n, 64, device=device, dtype=dtype)
    mask = torch.ones(n, n, dtype=torch.bool, device=device).tril()

    def library():
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    f = torch.compile(explicit_attention) if implementation == "torch, compiled" else explicit_attention
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


# benchmarks: 12.4 and 12.6


# benchmarks: 12.5 and 12.7


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
