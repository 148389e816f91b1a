"""Chapter 1: the numbers behind the pictures, and how fast the tiny network is."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def what_is_ai(lesson):
    return lesson("what_is_ai")


# 1.1 what_is_ai


def test_middle_ink_is_the_mean_of_the_four_centre_squares(what_is_ai):
    image = np.arange(64.0)
    assert what_is_ai.middle_ink(image[None]) == pytest.approx([(27 + 28 + 35 + 36) / 4])
    image[[27, 28, 35, 36]] = 0
    assert what_is_ai.middle_ink(np.stack([image, image + 1])).tolist() == [0, 1]


def test_average_pictures_match_a_loop(what_is_ai):
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(7, 64)), np.array([3, 1, 3, 3, 8, 1, 3])
    averages = what_is_ai.average_pictures(images, labels)
    for average, label in zip(averages, (1, 3, 8), strict=True):
        members = [image for image, other in zip(images, labels) if other == label]
        np.testing.assert_allclose(average, sum(members) / len(members), rtol=1e-10, atol=1e-12)


def test_differences_match_cdist(what_is_ai):
    rng = np.random.default_rng(1)
    images, averages = rng.normal(size=(5, 64)), rng.normal(size=(3, 64))
    expected = torch.cdist(torch.from_numpy(images), torch.from_numpy(averages)) ** 2
    np.testing.assert_allclose(what_is_ai.differences(images, averages), expected, rtol=1e-10)


def test_exam_digits_are_not_practised(what_is_ai):
    assert not set(what_is_ai.practice) & set(what_is_ai.new)
    assert len(what_is_ai.practice) + len(what_is_ai.new) == 1797
    assert set(what_is_ai.zo_new) <= set(what_is_ai.new)


def test_the_rule_misreads_ones_and_no_line_is_perfect(what_is_ai):
    zo = what_is_ai.zeros_and_ones
    says_one = what_is_ai.images[zo][:, [27, 28, 35, 36]].mean(axis=1) > 0.5
    assert what_is_ai.rule_accuracy == pytest.approx(np.mean(says_one == what_is_ai.labels[zo]))
    assert what_is_ai.labels[what_is_ai.failures].tolist() == [1] * int(what_is_ai.wrong.sum())
    assert what_is_ai.rule_accuracy < what_is_ai.best_line < 1


def test_a_handful_of_examples_beats_the_rule(what_is_ai):
    accuracy = what_is_ai.learner_accuracy
    assert accuracy[0] < what_is_ai.rule_on_new - 0.02 and accuracy[-1] > what_is_ai.rule_on_new + 0.01
    spread = what_is_ai.scores.std(axis=1)
    assert spread[-1] < spread[0] / 5


def test_one_program_does_all_pairs(what_is_ai):
    pairs = what_is_ai.pair_accuracy
    assert np.isfinite(pairs).sum() == 45 and np.nanmin(pairs) > 0.85 and np.nanmedian(pairs) > 0.97


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("trainer", ["train_vote", "train_network"])
def test_training_matches_autograd(what_is_ai, trainer, n_steps):
    """Gradient descent at rate one on the mean cross-entropy, from the same first weights."""
    data = np.random.default_rng(2)
    images, targets = data.uniform(size=(11, 64)), data.integers(2, size=11)
    x, y = torch.from_numpy(np.column_stack([images, np.ones(11)])), torch.from_numpy(targets).double()
    rng = np.random.default_rng(3)
    if trainer == "train_vote":
        weights = [torch.zeros(65, dtype=torch.float64)]
        ours = [what_is_ai.train_vote(images, targets, n_steps)]
    else:
        weights = [torch.from_numpy(rng.normal(scale=0.3, size=shape)) for shape in ((16, 65), 17)]
        ours = what_is_ai.train_network(images, targets, n_steps, np.random.default_rng(3))
    weights = [weight.requires_grad_() for weight in weights]

    def score():
        if trainer == "train_vote":
            return x @ weights[0]
        return F.linear((x @ weights[0].T).tanh(), weights[1][None, :16], weights[1][16:])[:, 0]

    for _ in range(n_steps):
        loss = F.binary_cross_entropy_with_logits(score(), y)
        for weight, grad in zip(weights, torch.autograd.grad(loss, weights)):
            weight.data -= grad
    for mine, theirs in zip(ours, weights, strict=True):
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-10, atol=1e-12)
    if trainer == "train_network":
        np.testing.assert_allclose(what_is_ai.network_score(images, ours), score().detach(), rtol=1e-10)


def test_layers_read_even_and_odd_best(what_is_ai):
    averages, votes, layers = what_is_ai.even_odd.values()
    assert 0.7 < averages < votes < layers and layers > 0.94
    assert list(what_is_ai.even_odd)[2] == "two layers"


def test_the_map_ranks_rule_averages_network(what_is_ai):
    marks = what_is_ai.marks
    assert marks["rule"] < marks["averages"] <= marks["network"]


def test_sureness_is_the_probability_of_its_own_answer(what_is_ai):
    images = what_is_ai.images[:50]
    answer, sure = what_is_ai.sureness(images)
    chance = torch.sigmoid(torch.from_numpy(what_is_ai.network_score(images, what_is_ai.weights_zo))).numpy()
    np.testing.assert_array_equal(answer, chance > 0.5)
    np.testing.assert_allclose(sure, np.maximum(chance, 1 - chance), rtol=1e-10)


def test_strangers_get_an_answer_all_the_same(what_is_ai):
    assert what_is_ai.labels[what_is_ai.strangers].tolist() == list(range(2, 10))
    assert what_is_ai.sure_of_strangers > 0.4


def test_history_is_in_order(what_is_ai):
    years = [year for year, _ in what_is_ai.events]
    assert years == sorted(years) and len(what_is_ai.heights) == len(years)
    assert all(1970 < start < stop < 1995 for start, stop in what_is_ai.winters)
