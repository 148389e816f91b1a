"""12.9: the tokenizer, the encoder against PyTorch's and the original, pooling, search and the classifier."""

import copy
import unicodedata

import numpy as np
import pytest
import torch
from torch import nn

TRIES = {
    "pretrained_encoder": [
        {
            "change": {
                "vectors[chosen] = mean_pool(encoder(tokens), tokens > 0)": "vectors[chosen] = mean_pool("
                "encoder(tokens), tokens >= 0)"
            },
            "prints": "cosine with the original's vectors: 0.",
        },
        {
            "change": {"self.attention_norm(x + self.attend(x, real)[0])": "self.attention_norm(x)"},
            "prints": "and 'The captain has lost a leg.'",
        },
        {
            "add": "def nearest(question, n):\n    scores = embed([question])[0] @ passage_vectors.T\n"
            "    for i in np.argsort(-scores)[:n]:\n        print(f'{scores[i]:.2f}  {passages[i]}')\n\n\n"
            "nearest('What do whalers eat?', 3)\nprint('by words', passages[by_words[0].argmax()])",
            "after": "passages embedded in",
            "prints": "by words",
        },
    ],
}


@pytest.fixture
def pretrained_encoder(lesson):
    return lesson("pretrained_encoder")


# ---- tokens ---------------------------------------------------------------------------------------------


def test_words_are_cut_at_spaces_and_punctuation(pretrained_encoder):
    split = pretrained_encoder.split_words
    assert split("Zoë's café, naïve!") == ["zoe", "'", "s", "cafe", ",", "naive", "!"]
    assert split("a—b\tc\u200bd\n") == ["a", "—", "b", "cd"]
    assert split("") == []


def test_pieces_are_the_longest_that_fit(pretrained_encoder):
    known = ("[PAD]", "un", "##able", "##a", "##ble", "unable", "##s", "a")
    vocabulary = {piece: i for i, piece in enumerate(known)}
    pieces = pretrained_encoder.word_pieces
    assert pieces("unables a", vocabulary) == ["[CLS]", "unable", "##s", "a", "[SEP]"]
    assert pieces("unx a", vocabulary) == ["[CLS]", "[UNK]", "a", "[SEP]"]
    assert pieces("", vocabulary) == ["[CLS]", "[SEP]"]
    assert pieces("a " * 200, vocabulary, most=10) == ["[CLS]", *["a"] * 8, "[SEP]"]


def test_nearly_all_of_the_book_is_in_the_vocabulary(pretrained_encoder):
    text = pretrained_encoder.text[:200_000]
    found = pretrained_encoder.word_pieces(text, pretrained_encoder.vocabulary, most=10**6)
    assert found.count("[UNK]") < len(found) / 1000
    joined = "".join(piece.removeprefix("##") for piece in found[1:-1])
    plain = unicodedata.normalize("NFD", text.lower())
    assert len(joined) > 0.98 * sum(not c.isspace() for c in plain)


# ---- encoder --------------------------------------------------------------------------------------------


def small(pretrained_encoder, seed=0):
    """Our block and PyTorch's layer with the same random weights, float64: width 24, twelve heads."""
    torch.manual_seed(seed)
    layer = nn.TransformerEncoderLayer(24, 12, 96, 0.0, "gelu", 1e-12, batch_first=True, dtype=torch.float64)
    weights = {f"layers.0.{name}": value.detach().clone() for name, value in layer.named_parameters()}
    for value in weights.values():
        value += 0.3 * torch.randn_like(value)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            value.copy_(weights[f"layers.0.{name}"])
    block = pretrained_encoder.EncoderBlock(24, 12, 96).double()
    state = pretrained_encoder.our_state(weights)
    block.load_state_dict({name.removeprefix("blocks.0."): value for name, value in state.items()})
    return block, layer


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (3, 5)])
def test_block_and_gradients_match_the_library(pretrained_encoder, shape):
    block, layer = small(pretrained_encoder)
    ours = torch.randn(*shape, 24, dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    real = torch.ones(shape, dtype=torch.bool)
    real[0, shape[1] // 2 + 1 :] = False
    cotangent = torch.randn(*shape, 24, dtype=torch.float64) * real[..., None]
    our_out = block(ours, real)
    their_out = layer(theirs, src_key_padding_mask=~real)
    torch.testing.assert_close(our_out[real], their_out[real], rtol=1e-10, atol=1e-12)
    (our_out * cotangent).sum().backward()
    (their_out * cotangent).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-11)


def test_every_weight_of_the_file_is_used(pretrained_encoder):
    state = pretrained_encoder.our_state(pretrained_encoder.weights)
    assert state.keys() == pretrained_encoder.encoder.state_dict().keys()
    n_given = sum(value.numel() for value in pretrained_encoder.weights.values())
    assert sum(value.numel() for value in state.values()) == n_given
    broken = {name: value for name, value in state.items() if "blocks.3.back" not in name}
    with pytest.raises(RuntimeError, match="Missing key"):
        pretrained_encoder.encoder.load_state_dict(broken)


def test_rows_are_whole_numbers_times_their_scale(pretrained_encoder):
    with np.load(pretrained_encoder.HERE / "data" / "minilm_l6_int8.npz") as archive:
        name = "layers.2.linear1.weight"
        whole = pretrained_encoder.weights[name].numpy() / archive[f"{name}.scale"][:, None]
        np.testing.assert_allclose(whole, archive[name], atol=1e-3)
        assert np.abs(archive[name]).max() <= 127


def test_vectors_are_those_of_the_original(pretrained_encoder):
    given = np.array(pretrained_encoder.reference["embeddings"])
    ours = pretrained_encoder.embed(pretrained_encoder.reference["sentences"])
    assert (ours * given).sum(axis=1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, rtol=1e-5)


def test_a_vector_does_not_depend_on_its_batch(pretrained_encoder):
    texts = ["The whale.", "A long sentence about the price of bread at the market in the next town.", "Yes."]
    together = pretrained_encoder.embed(texts)
    alone = np.concatenate([pretrained_encoder.embed([text]) for text in texts])
    turned = pretrained_encoder.embed(texts[::-1])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, turned, atol=1e-5)
    assert pretrained_encoder.embed([]).shape == (0, 384)


def test_pooling_leaves_out_padding(pretrained_encoder):
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)
    got = pretrained_encoder.mean_pool(x, real)
    for i, n in enumerate((5, 1, 2)):
        mean = x[i, :n].mean(dim=0)
        torch.testing.assert_close(got[i], mean / mean.norm(), rtol=1e-12, atol=0)


# ---- search and classifier ------------------------------------------------------------------------------


def test_tf_idf_by_hand(pretrained_encoder):
    texts = ["the whale", "the ship the", "a whale!"]
    table = pretrained_encoder.tf_idf(texts)
    rare, common = np.log(4 / 2) + 1, np.log(4 / 3) + 1  # a word of one text and of two
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), 1)
    first = np.array([common, common]) / np.hypot(common, common)
    assert table[0].max() == pytest.approx(first[0])
    dot = common * common / (np.hypot(common, common) * np.sqrt(common**2 + 2 * rare**2))
    assert table[0] @ table[2] == pytest.approx(dot)
    assert not pretrained_encoder.tf_idf(["unknown"], texts).any()


def test_a_passage_that_is_not_there_is_refused(pretrained_encoder):
    with pytest.raises(ValueError, match="no passage has"):
        pretrained_encoder.best_rank(np.zeros(len(pretrained_encoder.passages)), "submarine cable")


def test_logistic_regression_ends_where_the_slope_is_zero(pretrained_encoder):
    rng = np.random.default_rng(0)
    for n, d in ((12, 40), (40, 5)):
        x = rng.normal(size=(n, d))
        labels = (x[:, 0] + rng.normal(size=n) > 0).astype(int)
        w = pretrained_encoder.fit_logistic(x, labels, strength=0.5)
        p = 1 / (1 + np.exp(-(x @ w[:-1] + w[-1])))
        np.testing.assert_allclose(x.T @ (p - labels) + 0.5 * w[:-1], 0, atol=1e-8)
        assert abs((p - labels).sum()) < 1e-8


def test_settings_and_texts_of_another_kind_are_named(pretrained_encoder):
    x = np.eye(4)
    for labels, strength in (([1, 1, 1, 1], 0.1), ([0, 1, 0, 1], 0.0)):
        with pytest.raises(ValueError, match="need both labels and a strength above 0"):
            pretrained_encoder.fit_logistic(x, np.array(labels), strength)
    start = pretrained_encoder.fit_logistic(x, np.array([0, 1, 0, 1]), n_steps=0)
    np.testing.assert_array_equal(start, np.zeros(5))
    for text in ("", "Call me Ishmael. Some years", "CHAPTER I. Loomings."):
        with pytest.raises(ValueError, match="no line of the text begins with CHAPTER and a number"):
            pretrained_encoder.chapters_of(text)
    assert pretrained_encoder.chapters_of("CHAPTER 7. The Chapel.\n\nIn\nhere.") == {7: ["In here."]}


def test_new_pairs_are_found_by_meaning(pretrained_encoder):
    """The claim on pairs of its own: of eight paraphrases the right one is nearest, with one miss allowed."""
    pairs = [
        ("The captain is angry.", "The commander of the ship is furious."),
        ("It rains all day.", "The wet weather never stops."),
        ("I cannot sleep.", "I lie awake at night."),
        ("The bread is fresh.", "This loaf has just come out of the oven."),
        ("He plays the violin.", "He is a musician with a string instrument."),
        ("The car needs petrol.", "We have to fill the tank."),
        ("The child learns to read.", "The pupil is beginning to understand written words."),
        ("The mountain is covered with snow.", "The summit is white in winter."),
    ]
    ours, others = (pretrained_encoder.embed([pair[i] for pair in pairs]) for i in (0, 1))
    assert ((ours @ others.T).argmax(axis=1) == np.arange(8)).sum() >= 7


def test_train_and_test_passages_come_from_different_chapters(pretrained_encoder):
    for kind in (pretrained_encoder.BIOLOGY, pretrained_encoder.STORY):
        assert not set(kind["train"]) & set(kind["test"])
    for parts in pretrained_encoder.tasks.values():
        assert not set(parts["train"][0]) & set(parts["test"][0])
        for texts, labels in parts.values():
            assert len(texts) == len(labels) and labels.mean() == 0.5
            assert all(25 <= len(text.split()) <= 60 for text in texts)


def test_claims(pretrained_encoder):
    ours = pretrained_encoder
    assert ours.first["meaning"] >= 5 > 1 >= ours.first["words"]
    assert ours.nearest_by_meaning >= 17 and ours.nearest_by_words < 6
    assert ours.nearer_than_distractor <= 3
    for results in ours.few_labels.values():
        for values in results.values():
            assert values.shape == (5, 6) and 0.5 < values[:, -1].mean() < 1
    assert ours.previous.max() > 0.9


# ---- benchmarks -----------------------------------------------------------------------------------------


@pytest.fixture(params=["torch, explicit", "torch, library"])
def implementation(request):
    return request.param


@pytest.mark.benchmark(group="sentence encoder's block, 32 texts of 48 pieces, width 384, float32")
def test_block_speed(pretrained_encoder, timed, device, implementation):
    block = pretrained_encoder.encoder.blocks[0]
    layer = nn.TransformerEncoderLayer(384, 12, 1536, 0.0, "gelu", 1e-12, batch_first=True).eval()
    first = {name: value for name, value in pretrained_encoder.weights.items() if "layers.0." in name}
    layer.load_state_dict({name.removeprefix("layers.0."): value for name, value in first.items()})
    x = torch.randn(32, 48, 384, device=device)
    real = torch.ones(32, 48, dtype=torch.bool, device=device)
    ours, theirs = copy.deepcopy(block).to(device), layer.to(device)
    flops = 32 * 48 * (2 * 12 * 384**2 + 4 * 48 * 384)
    with torch.inference_mode():
        if implementation == "torch, explicit":
            timed(ours, x, real, flops=flops)
        else:
            timed(lambda: theirs(x, src_key_padding_mask=~real), flops=flops)
