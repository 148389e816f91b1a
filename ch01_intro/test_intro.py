"""Chapter 1: the numbers behind the pictures, and how fast the tiny network is."""

import math
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "what_is_ai": [
        {
            "change": {"threshold = 0.5  # the": "threshold = 0.3  # the"},
            "figure": 3,
            "prints": "misreads 11 digits",
        },
        {"change": {"n_tries = 100\n": "n_tries = 3\n"}, "figure": 6},
        {"change": {"odd = labels % 2  #": "odd = labels // 5  #"}, "figure": 8},
    ],
    "how_a_network_works": [
        {"change": {"hot_weight = -3\n": "hot_weight = -1\n"}, "figure": 2},
        {"change": {"n_hidden = 12\n": "n_hidden = 2\n"}, "figure": 5, "prints": "wrong at the end"},
        {"change": {"n_few = 50\n": "n_few = 200\n"}, "figure": 6, "prints": "wrong at the end with 200"},
    ],
    "learning_paradigms": [
        {"change": {"species_of(grid).reshape": "species_of(grid, 75).reshape"}, "figure": 2},
        {
            "change": {"first_birds = [20, 60, 100]\n": "first_birds = [0, 1, 2]\n"},
            "figure": 5,
            "prints": "Nothing moved any more",
        },
        {
            "change": {"shed: 10}}": "shed: 0}}"},
            "figure": 8,
            "prints": "none                            38.0            38.0",
        },
    ],
    "project_lifecycle": [
        {"change": {"wet_cost = 10\n": "wet_cost = 4\n"}, "figure": 6, "prints": "calendar"},
        {"change": {"hasty_months = (11, 12, 1, 2)\n": "hasty_months = (6, 7, 8, 9)\n"}, "figure": 7},
        {"change": {"[features, is_word[today + 1]])": "[features, is_word[today]])"}, "figure": 5},
    ],
}


@pytest.fixture
def what_is_ai(lesson):
    return lesson("what_is_ai")


@pytest.fixture
def how_a_network_works(lesson):
    return lesson("how_a_network_works")


@pytest.fixture
def learning_paradigms(lesson):
    return lesson("learning_paradigms")


@pytest.fixture
def project_lifecycle(lesson):
    return lesson("project_lifecycle")


# all lessons


@pytest.mark.parametrize("name", TRIES)
def test_each_code_cell_says_what_it_draws(name):
    """Who keeps the code folded, or reads only its first line, misses nothing."""
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    code = [cell for cell in re.split(r"^# %%", text, flags=re.MULTILINE) if cell.startswith("\n")]
    assert len(code) > 5
    for cell in code:
        assert re.match(r"\n# Draws\b.{20}", cell), f"this cell does not say what it draws: {cell[:80]}"


# 1.1 what_is_ai


def test_middle_ink_is_the_mean_of_the_four_centre_pixels(what_is_ai):
    image = np.arange(64.0)
    assert what_is_ai.middle_ink(image[None]) == pytest.approx([(27 + 28 + 35 + 36) / 4])
    image[[27, 28, 35, 36]] = 0
    assert what_is_ai.middle_ink(np.stack([image, image + 1])).tolist() == [0, 1]
    assert what_is_ai.middle_ink(np.zeros((0, 64))).shape == (0,)


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


def test_the_paper_example_counts_right(what_is_ai):
    """Six squares differ from the zero and one from the one, by the lesson's own comparison."""
    zero, one, new = (
        np.array([c == "#" for c in picture], dtype=float)
        for picture in ("####.####", ".#..#..#.", ".#..#.##.")
    )
    assert what_is_ai.differences(new[None], np.stack([zero, one])).tolist() == [[6, 1]]


def test_test_digits_are_not_trained_on(what_is_ai):
    assert not set(what_is_ai.train) & set(what_is_ai.test)
    assert len(what_is_ai.train) + len(what_is_ai.test) == 1797
    assert set(what_is_ai.test01) <= set(what_is_ai.test)
    assert what_is_ai.newcomer in what_is_ai.test01 and what_is_ai.newcomer in what_is_ai.failures


def test_the_rule_misreads_ones_and_no_threshold_is_perfect(what_is_ai):
    zeros_and_ones = what_is_ai.zeros_and_ones
    says_one = what_is_ai.images[zeros_and_ones][:, [27, 28, 35, 36]].mean(axis=1) > 0.5
    wrong = says_one != what_is_ai.labels[zeros_and_ones]
    np.testing.assert_array_equal(what_is_ai.misread, wrong)
    assert what_is_ai.labels[what_is_ai.failures].tolist() == [1] * int(wrong.sum()) and wrong.sum() > 5
    at_half = np.flatnonzero(np.isclose(what_is_ai.thresholds, 0.5))[0]
    assert what_is_ai.wrong_zeros[at_half] + what_is_ai.wrong_ones[at_half] == wrong.sum()
    assert 0 < what_is_ai.fewest < wrong.sum()
    assert np.all(np.diff(what_is_ai.wrong_zeros) <= 0) and np.all(np.diff(what_is_ai.wrong_ones) >= 0)


def test_a_handful_of_examples_beats_the_rule(what_is_ai):
    accuracy = what_is_ai.learner_accuracy
    assert accuracy[0] < what_is_ai.rule_accuracy - 0.02 and accuracy[-1] > what_is_ai.rule_accuracy + 0.01
    spread = what_is_ai.scores.std(axis=1)
    assert spread[-1] < spread[0] / 5


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_by_the_fifth_example_the_learner_passes_the_rule_in_other_deals(what_is_ai, seed):
    lesson, rng = what_is_ai, np.random.default_rng(seed)
    order = rng.permutation(1797)
    train, test = (part[lesson.labels[part] < 2] for part in (order[:1000], order[1000:]))
    images, labels = lesson.images, lesson.labels
    rule = np.mean((lesson.middle_ink(images[test]) > 0.5) == labels[test])
    ink = lesson.middle_ink(images[train])
    mistakes = [np.sum((ink > line) != labels[train]) for line in lesson.thresholds]
    best = lesson.thresholds[np.argmin(mistakes)]
    tuned = np.mean((lesson.middle_ink(images[test]) > best) == labels[test])
    means = []
    for n_examples in (1, 5):
        scores = []
        for _ in range(100):
            zeros, ones = (rng.permutation(train[labels[train] == digit])[:n_examples] for digit in (0, 1))
            averages = np.stack([images[zeros].mean(axis=0), images[ones].mean(axis=0)])
            answers = lesson.differences(images[test], averages).argmin(axis=1)
            scores.append(np.mean(answers == labels[test]))
        means.append(np.mean(scores))
    assert means[0] < rule < means[1]
    assert tuned < means[1]


def test_one_program_does_all_pairs(what_is_ai):
    pairs = what_is_ai.pair_accuracy
    assert np.isfinite(pairs).sum() == 45 and np.nanmin(pairs) > 0.85 and np.nanmedian(pairs) > 0.97


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("hidden_sizes", [[], [16], [5, 3]])
def test_training_matches_autograd(what_is_ai, hidden_sizes, n_steps):
    """Gradient descent at rate 0.7 on the mean cross-entropy, from the same first weights."""
    data = np.random.default_rng(2)
    images, targets = data.uniform(size=(11, 64)), data.integers(2, size=11)
    x, y = torch.from_numpy(images), torch.from_numpy(targets).double()
    start = what_is_ai.start_network(hidden_sizes, np.random.default_rng(3))
    ours = what_is_ai.train_network(images, targets, hidden_sizes, n_steps, np.random.default_rng(3), 0.7)
    weights = [torch.from_numpy(part).requires_grad_() for pair in start for part in pair]

    def score():
        hidden = x
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2]):
            hidden = F.linear(hidden, weight, bias).tanh()
        return F.linear(hidden, weights[-2], weights[-1])[:, 0]

    for _ in range(n_steps):
        loss = F.binary_cross_entropy_with_logits(score(), y)
        for weight, grad in zip(weights, torch.autograd.grad(loss, weights)):
            weight.data -= 0.7 * grad
    for mine, theirs in zip((part for pair in ours for part in pair), weights, strict=True):
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(what_is_ai.network_score(images, ours), score().detach(), rtol=1e-10)


def test_a_hidden_layer_helps_with_even_and_odd(what_is_ai):
    averages, none, one, two = map(np.array, what_is_ai.even_odd.values())
    assert averages.shape == (4,) and np.all(averages > 0.7)
    assert np.all(averages < none) and np.all(none + 0.02 < one) and np.all(two > 0.95)
    assert abs(two.mean() - one.mean()) < 0.01


def test_more_steps_do_not_replace_the_hidden_layer(what_is_ai):
    lesson = what_is_ai
    order = np.random.default_rng(0).permutation(1797)
    train, test = order[:1000], order[1000:]
    network = lesson.train_network(
        lesson.images[train], lesson.odd[train], [], 5 * lesson.n_steps, np.random.default_rng(0)
    )
    accuracy = np.mean((lesson.network_score(lesson.images[test], network) > 0) == lesson.odd[test])
    assert 0.88 < accuracy < min(lesson.even_odd["one hidden layer"]) - 0.02


def test_both_learners_beat_the_rule(what_is_ai):
    marks = what_is_ai.marks
    assert marks["rule"] < min(marks["averages"], marks["network"])


def test_sureness_is_the_probability_of_its_own_answer(what_is_ai):
    images = what_is_ai.images
    answer, sure = what_is_ai.sureness(images)
    assert np.sum(np.abs(what_is_ai.network_score(images, what_is_ai.network01)) < 1) > 10
    chance = torch.sigmoid(torch.from_numpy(what_is_ai.network_score(images, what_is_ai.network01))).numpy()
    np.testing.assert_array_equal(answer, chance > 0.5)
    np.testing.assert_allclose(sure, np.maximum(chance, 1 - chance), rtol=1e-10)


def test_strangers_get_an_answer_all_the_same(what_is_ai):
    assert what_is_ai.labels[what_is_ai.strangers].tolist() == list(range(2, 10))
    assert what_is_ai.sure_of_strangers > 0.5


def test_history_is_in_order(what_is_ai):
    years = [year for year, _ in what_is_ai.events]
    assert years == sorted(years) and len(what_is_ai.heights) == len(years)
    assert all(1970 < start < stop < 1995 for start, stop in what_is_ai.winters)


# 1.2 how_a_network_works


def network_of(rng, n_hidden=12):
    """Random parameters, biases included: what `forward` and `training_step` take."""
    return [rng.normal(scale=0.5, size=shape) for shape in ((n_hidden, 64), n_hidden, (10, n_hidden), 10)]


def torch_forward(images, network):
    weight1, bias1, weight2, bias2 = network
    activations = F.linear(images, weight1, bias1).relu()
    return activations, F.linear(activations, weight2, bias2)


def test_the_neuron_answers_as_the_nearest_average(how_a_network_works):
    lesson = how_a_network_works
    images = lesson.images[lesson.test][lesson.labels[lesson.test] < 2]
    nearer_one = ((images - lesson.average_one) ** 2).sum(1) < ((images - lesson.average_zero) ** 2).sum(1)
    np.testing.assert_array_equal(images @ lesson.one_weight + lesson.one_bias > 0, nearer_one)
    assert lesson.totals[lesson.zero] < 0 < lesson.totals[lesson.one]
    assert lesson.labels[[lesson.zero, lesson.one]].tolist() == [0, 1]


def test_without_silence_two_layers_are_one(how_a_network_works):
    """Any network without ReLU equals a single layer; with it the output bends twice."""
    lesson = how_a_network_works
    bends = np.flatnonzero(~np.isclose(np.diff(lesson.comfort["silent below zero"], 2), 0)) + 1
    assert lesson.temperature[bends].tolist() == [20, 30]
    np.testing.assert_allclose(lesson.comfort["never silent"], 70 - 2 * lesson.temperature, rtol=1e-10)


def test_a_lead_of_four_is_about_fifty_times_the_probability(how_a_network_works):
    shares = how_a_network_works.softmax(np.array([[4.0, 0.0] + [1.0] * 8, [9.0, 5.0] + [-3.0] * 8]))
    assert np.all(np.abs(shares[:, 0] / shares[:, 1] - 50) < 5)


@pytest.mark.parametrize("n, n_hidden", [(1, 12), (7, 5), (0, 3)])
def test_forward_and_loss_match_pytorch(how_a_network_works, n, n_hidden):
    rng = np.random.default_rng(n)
    network, images, labels = network_of(rng, n_hidden), rng.uniform(size=(n, 64)), rng.integers(10, size=n)
    activations, shares = how_a_network_works.forward(images, network)
    expected, scores = torch_forward(torch.from_numpy(images), map(torch.from_numpy, network))
    np.testing.assert_allclose(activations, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(shares, scores.softmax(dim=1), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(how_a_network_works.answers(images, network), scores.argmax(dim=1))
    if n:
        ours = how_a_network_works.loss(images, labels, network)
        assert ours == pytest.approx(F.cross_entropy(scores, torch.from_numpy(labels)).item(), rel=1e-10)


def test_softmax_survives_large_scores(how_a_network_works):
    scores = np.array([[1e4, 0, -1e4] + [0] * 7, [3.0] * 10])
    shares = how_a_network_works.softmax(scores)
    np.testing.assert_allclose(shares, [[1] + [0] * 9, [0.1] * 10], rtol=1e-10)


@pytest.mark.parametrize("n", [1, 7])
def test_training_step_matches_autograd(how_a_network_works, n):
    rng = np.random.default_rng(n)
    network, images, labels = network_of(rng), rng.uniform(size=(n, 64)), rng.integers(10, size=n)
    tensors = [torch.from_numpy(part.copy()).requires_grad_() for part in network]
    scores = torch_forward(torch.from_numpy(images), tensors)[1]
    grads = torch.autograd.grad(F.cross_entropy(scores, torch.from_numpy(labels)), tensors)
    how_a_network_works.training_step(images, labels, network, 0.3)
    for ours, before, grad in zip(network, tensors, grads, strict=True):
        np.testing.assert_allclose(ours, before.detach() - 0.3 * grad, rtol=1e-10, atol=1e-12)


def test_training_leaves_the_start_as_it_was_and_takes_any_batch_size(how_a_network_works):
    lesson = how_a_network_works
    before = [part.copy() for part in lesson.untrained]
    places = lesson.train[:13]
    network, errors, active = lesson.train_network(
        lesson.untrained, places, 2, 0.1, np.random.default_rng(0), batch_size=5
    )
    assert errors.shape == (3, 2) and active.shape == (12,) and np.all((active >= 0) & (active <= 1))
    for now, then, trained in zip(lesson.untrained, before, network, strict=True):
        np.testing.assert_array_equal(now, then)
        assert not np.array_equal(trained, then)


def test_changing_one_weight_makes_a_valley(how_a_network_works):
    lesson = how_a_network_works
    assert np.all(np.diff(lesson.valley, 2) > 0)  # the loss is convex in a weight of the output layer
    bottom = lesson.values[lesson.valley.argmin()]
    assert np.sign(lesson.moved - lesson.here) == np.sign(bottom - lesson.here)
    images, labels = lesson.images[lesson.train], torch.from_numpy(lesson.labels[lesson.train])
    tensors = [torch.from_numpy(part.copy()).requires_grad_() for part in lesson.untrained]
    F.cross_entropy(torch_forward(torch.from_numpy(images), tensors)[1], labels).backward()
    assert lesson.slope == pytest.approx(tensors[2].grad[lesson.place].item(), rel=1e-3)


def test_training_takes_guessing_to_reading(how_a_network_works):
    lesson = how_a_network_works
    assert lesson.errors[0, 1] > 75 and lesson.errors[-1, 1] < 8
    assert lesson.n_parameters == 12 * 65 + 10 * 13
    assert lesson.runs["tiny"][1][-1, 1] > 50 and lesson.runs["large"][1][-1, 1] > 80


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_learning_rates_rank_the_same_from_other_starts(how_a_network_works, seed):
    lesson, ends = how_a_network_works, []
    start = lesson.start_network(12, np.random.default_rng(seed))
    for rate in lesson.rates.values():
        network, errors, _ = lesson.train_network(start, lesson.train, 40, rate, np.random.default_rng(seed))
        ends.append(errors[-1, 1])
    assert ends[0] > 50 and ends[1] < 8 and ends[2] > 80
    assert lesson.forward(lesson.images[lesson.train], network)[0].max() == 0  # all hidden neurons are silent


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_few_images_are_learned_by_heart_in_other_deals(how_a_network_works, seed):
    lesson, rng = how_a_network_works, np.random.default_rng(seed)
    few = rng.permutation(lesson.train)[:50]
    errors = lesson.train_network(lesson.untrained, few, 300, 0.2, rng)[1]
    assert errors[-1, 0] == 0 and errors[-1, 1] > 10


def test_an_image_on_which_a_neuron_is_silent_leaves_it_as_it_is(how_a_network_works):
    lesson, rng = how_a_network_works, np.random.default_rng(5)
    network, image = network_of(rng), rng.uniform(size=(1, 64))
    silent = lesson.forward(image, network)[0][0] == 0
    before = [part.copy() for part in network]
    lesson.training_step(image, np.array([3]), network, 0.5)
    assert 0 < silent.sum() < 12
    np.testing.assert_array_equal(network[0][silent], before[0][silent])
    np.testing.assert_array_equal(network[1][silent], before[1][silent])
    assert np.all(np.any(network[0][~silent] != before[0][~silent], axis=1))


def test_rarely_active_neurons_hardly_change(how_a_network_works):
    lesson = how_a_network_works
    assert lesson.shares.shape == lesson.moves.shape == (48,) and lesson.rare.sum() > 2
    assert lesson.moves[lesson.rare].max() < np.median(lesson.moves[~lesson.rare]) / 3


def test_the_flow_draws_what_each_active_neuron_adds(how_a_network_works):
    lesson = how_a_network_works
    fig, ax = plt.subplots()
    lesson.draw_flow(ax, lesson.seven, lesson.network)
    activations, probabilities = lesson.forward(lesson.images[[lesson.seven]], lesson.network)
    active = np.flatnonzero(activations[0])
    pushes = [
        activations[0, active] * lesson.network[2][d, active] for d in np.argsort(probabilities[0])[-2:]
    ]
    pushes = np.concatenate(pushes)
    assert 0 < len(active) < 12 and 0 < np.sum(pushes > 0) < len(pushes)
    np.testing.assert_allclose([line.get_linewidth() for line in ax.lines], np.abs(pushes), rtol=1e-10)
    assert [line.get_linestyle() for line in ax.lines] == ["-" if push > 0 else "--" for push in pushes]
    words = [text.get_text() for text in ax.texts]
    assert words.count("silent") == 12 - len(active)
    assert f"7:  {100 * probabilities[0, 7]:.1f} %" in words
    plt.close(fig)


def test_the_probability_tells_right_from_wrong(how_a_network_works):
    lesson = how_a_network_works
    assert sum(group.sum() for group in lesson.groups) == len(lesson.test)
    low, middle, high = lesson.error_rates
    assert low > middle > high and high < 0.01
    probabilities = lesson.forward(lesson.images[lesson.mistakes[:1]], lesson.network)[1][0]
    assert probabilities.argmax() != lesson.labels[lesson.mistakes[0]] and probabilities.max() > 0.8


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_probability_tells_right_from_wrong_in_other_deals(how_a_network_works, seed):
    lesson, rng = how_a_network_works, np.random.default_rng(seed)
    order = rng.permutation(1797)
    start = lesson.start_network(12, rng)
    network = lesson.train_network(start, order[:1000], 40, 0.2, rng)[0]
    probabilities = lesson.forward(lesson.images[order[1000:]], network)[1]
    sure, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != lesson.labels[order[1000:]]
    assert np.mean(sure > 0.95) > 0.7 and wrong[sure > 0.95].mean() < 0.01
    assert wrong[sure <= 0.7].mean() > 0.2


# 1.3 learning_paradigms


def test_the_paper_example_learns_as_the_lesson_says(learning_paradigms):
    """Five bills, with a second feature that is constant: the nearest three, and the rounds of k-means."""
    lesson = learning_paradigms
    bills = np.column_stack([[38.0, 39, 40, 47, 48], np.full(5, 17.0)])
    near = lesson.neighbours(np.array([46.0, 17]), bills, 3)
    assert bills[near, 0].tolist() == [47, 48, 40]
    history = lesson.k_means(bills, bills[[0, 1]])
    assert [centres[:, 0].tolist() for _, centres in history] == [[38, 39], [38, 43.5], [39, 47.5]]
    assert history[-1][0].tolist() == [0, 0, 0, 1, 1]


def test_neighbours_are_the_nearest_first(learning_paradigms):
    rng = np.random.default_rng(0)
    bird, others = rng.normal(size=2), rng.normal(size=(40, 2))
    scaled = [((other - bird) / learning_paradigms.train_spread).tolist() for other in others]
    distances = [math.hypot(*gap) for gap in scaled]
    expected = sorted(range(40), key=distances.__getitem__)[:7]
    assert learning_paradigms.neighbours(bird, others, 7).tolist() == expected


def test_species_is_the_majority_of_the_neighbours(learning_paradigms):
    lesson = learning_paradigms
    birds = lesson.bills[lesson.train]
    np.testing.assert_array_equal(lesson.species_of(birds, 1)[:50], lesson.labels[lesson.train][:50])
    everybody = np.bincount(lesson.labels[lesson.train]).argmax()
    assert set(lesson.species_of(birds[:9], len(birds))) == {everybody}


def test_labels_help_on_new_birds(learning_paradigms):
    lesson = learning_paradigms
    assert not set(lesson.train) & set(lesson.test) and len(lesson.labels) == 342
    assert (~lesson.missed).mean() > 0.9
    np.testing.assert_array_equal(lesson.guesses, lesson.species_of(lesson.bills[lesson.test]))
    vote = np.bincount(lesson.labels[lesson.near], minlength=3)
    assert vote.max() == 3 and vote.argmax() == lesson.labels[lesson.newcomer]
    assert lesson.agreed[lesson.missed].mean() < lesson.agreed[~lesson.missed].mean() / 2


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_most_mistakes_lie_where_neighbours_disagree_in_other_deals(learning_paradigms, seed):
    lesson = learning_paradigms
    order = np.random.default_rng(seed).permutation(342)
    train, test = order[:150], order[150:]
    votes = [
        np.bincount(
            lesson.labels[train][lesson.neighbours(lesson.bills[i], lesson.bills[train], 5)], minlength=3
        )
        for i in test
    ]
    missed = np.array([vote.argmax() for vote in votes]) != lesson.labels[test]
    agreed = np.array([vote.max() == 5 for vote in votes])
    assert missed.mean() < 0.1 and agreed[missed].mean() < 0.5 < agreed[~missed].mean()


def test_the_mass_is_the_mean_of_the_neighbours(learning_paradigms):
    lesson = learning_paradigms
    length = 200.5
    gaps = sorted((abs(lesson.flipper[i] - length), place) for place, i in enumerate(lesson.train))
    expected = np.mean([lesson.mass[lesson.train[place]] for _, place in gaps[:7]])
    assert lesson.mass_of(np.array([length]), 7) == pytest.approx([expected], rel=1e-10)
    assert lesson.mass_of(np.zeros(0)).shape == (0,)
    assert 0.2 < lesson.mass_error < 0.6 * lesson.mean_error


def test_a_round_of_k_means_matches_loops(learning_paradigms):
    lesson = learning_paradigms
    rng = np.random.default_rng(1)
    birds, centres = rng.normal(size=(29, 2)), rng.normal(size=(4, 2))
    clusters = lesson.nearest_centre(birds, centres)
    scaled = torch.cdist(torch.from_numpy(birds / lesson.spread), torch.from_numpy(centres / lesson.spread))
    np.testing.assert_array_equal(clusters, scaled.argmin(dim=1))
    moved = lesson.move_centres(birds, clusters, centres)
    for cluster in range(4):
        np.testing.assert_allclose(moved[cluster], birds[clusters == cluster].mean(axis=0), rtol=1e-10)


def test_an_empty_cluster_keeps_its_centre(learning_paradigms):
    lesson = learning_paradigms
    birds, centres = np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([[0.0, 0.0], [1e6, 1e6]])
    clusters = lesson.nearest_centre(birds, centres)
    np.testing.assert_array_equal(lesson.move_centres(birds, clusters, centres), [[2, 4], centres[1]])


def test_each_round_tightens_the_clusters_until_nothing_moves(learning_paradigms):
    lesson = learning_paradigms
    gaps = [
        (((lesson.bills - centres[clusters]) / lesson.spread) ** 2).sum()
        for clusters, centres in lesson.history
    ]
    assert np.all(np.diff(gaps) < 0) and len(gaps) > 4
    clusters, centres = lesson.history[-1]
    np.testing.assert_allclose(lesson.move_centres(lesson.bills, clusters, centres), centres)


def test_found_clusters_are_nearly_the_species(learning_paradigms):
    lesson = learning_paradigms
    assert lesson.counts.sum() == len(lesson.labels) and sorted(lesson.mostly) == [0, 1, 2]
    assert lesson.agreement == pytest.approx(lesson.counts.max(axis=1).sum() / len(lesson.labels))
    assert lesson.agreement > 0.85 and 17 <= lesson.same_result <= 20


def shortest_way(lesson):
    """Steps from every free square to the hut, by breadth-first search."""
    steps, queue = {lesson.hut: 0}, [lesson.hut]
    for row, column in queue:
        for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            inside = 0 <= other[0] < len(lesson.ROCKS) and 0 <= other[1] < len(lesson.ROCKS[0])
            if inside and lesson.ROCKS[other[0]][other[1]] != "#" and other not in steps:
                steps[other] = steps[row, column] + 1
                queue.append(other)
    return steps


def test_rocks_and_edges_stop_the_agent(learning_paradigms):
    up, right, down, left = range(4)

    def step(square, move):
        return learning_paradigms.step(square, move, {(5, 7): 50})

    assert step((0, 0), up) == ((0, 0), -1) and step((0, 0), left) == ((0, 0), -1)
    assert step((1, 0), right) == ((1, 0), -1) and step((0, 0), right) == ((0, 1), -1)
    assert step((4, 7), down) == ((5, 7), 49) and step((5, 6), right) == ((5, 7), 49)
    assert step((3, 7), right) == ((3, 7), -1) and step((5, 0), down) == ((5, 0), -1)


def test_the_learned_way_is_the_shortest(learning_paradigms):
    lesson = learning_paradigms
    steps = shortest_way(lesson)[lesson.start]
    assert len(lesson.final_path) - 1 == steps == 12 and lesson.final_points == 50 - steps
    assert lesson.points_of_walks[0] < 0 and np.mean(lesson.points_of_walks[-50:]) > 30
    assert lesson.shed in shortest_way(lesson)  # the shed can be reached, in ten steps
    assert abs(lesson.shed[0] - 0) + abs(lesson.shed[1] - 0) <= 10


def test_the_values_come_to_be_the_true_points(learning_paradigms):
    """By random steps every square is met, and each best value becomes 50 minus the steps to the hut."""
    lesson = learning_paradigms
    values, rng = np.zeros((*lesson.rocks.shape, 4)), np.random.default_rng(1)
    for _ in range(400):
        path, points = lesson.walk(values, {lesson.hut: 50}, 1.0, 1.0, rng)
        assert len(path) - 1 == (50 if path[-1] == lesson.hut else 0) - points and len(path) <= 1001
    for square, steps in shortest_way(lesson).items():
        assert values[square].max() == (50 - steps if steps else 0)


def test_a_walk_ends_at_each_reward_and_expects_nothing_beyond(learning_paradigms):
    lesson = learning_paradigms
    values = np.full((*lesson.rocks.shape, 4), 50.0)
    rewards = {lesson.hut: 50, lesson.shed: 10}
    for seed in range(5):
        path, points = lesson.walk(values, rewards, 1.0, 1.0, np.random.default_rng(seed))
        assert path[-1] in rewards and points == rewards[path[-1]] - (len(path) - 1)
    assert np.all(values[lesson.hut] == 50) and np.all(values[lesson.shed] == 50)  # nothing is written there
    assert values[4, 5, 3] in (9, 50) and values[5, 6, 1] in (49, 50)


def test_learning_rate_corrects_by_its_share(learning_paradigms):
    lesson = learning_paradigms
    values = np.full((*lesson.rocks.shape, 4), -5.0)
    values[lesson.start][1] = 3.0  # the greedy agent goes right first, to a square that promises -5
    path, _ = lesson.walk(values, {lesson.hut: 50}, 0.0, 0.25, np.random.default_rng(0))
    assert path[1] == (0, 1)
    fresh = np.zeros_like(values)
    fresh[lesson.start][1] = 1.0
    lesson.walk(fresh, {lesson.hut: 50}, 0.0, 0.0, np.random.default_rng(0))
    assert fresh.sum() == 1.0  # a rate of zero changes nothing
    one_step = np.zeros_like(values)
    lesson.walk(one_step, {(0, 1): 4}, 1.0, 0.25, np.random.default_rng(2))
    assert one_step[0, 0, 1] == 0.25 * 3


def test_the_value_spreads_from_the_hut(learning_paradigms):
    positive = list(learning_paradigms.positive.values())
    assert positive[0] == 1 and positive == sorted(positive) and 12 < positive[-1] < 30
    assert all(learning_paradigms.on_its_way) and len(learning_paradigms.on_its_way) == 12


def test_exploration_is_needed_only_where_an_early_success_hides_a_better_one(learning_paradigms):
    """The same with ten other agents: without random steps, in both worlds, and with hopeful values."""
    lesson = learning_paradigms
    for rewards, first_value, best in (
        ({lesson.hut: 50}, 0.0, 5),
        ({lesson.hut: 50, lesson.shed: 10}, 0.0, 0),
        ({lesson.hut: 50, lesson.shed: 10}, 50.0, 5),
    ):
        n_found = 0
        for seed in range(100, 105):
            values, rng = np.full((*lesson.rocks.shape, 4), first_value), np.random.default_rng(seed)
            for _ in range(200):
                lesson.walk(values, rewards, 0.0, 0.5, rng)
            n_found += lesson.walk(values, rewards, 0, 0, rng)[1] == 38
        assert n_found == best
    assert lesson.found["only the hut"] == [10] * 5
    assert lesson.found["hut and shed"][0] == 0 and lesson.found["hut and shed"][4] == 10
    late = lesson.earned["only the hut"]
    assert late[0] > late[1] > late[2] > late[3]
    late = lesson.earned["hut and shed"]
    assert late[0] < late[1] < late[2] > late[3]


# 1.4 project_lifecycle


@pytest.mark.parametrize("n, d", [(1, 1), (13, 1), (37, 5)])
def test_fit_matches_logistic_regression_in_pytorch(project_lifecycle, n, d):
    rng = np.random.default_rng(n)
    x, y = rng.normal(loc=3, scale=7, size=(n + 1, d)), np.arange(n + 1) % 2 == 0
    inputs = torch.from_numpy((x - x.mean(axis=0)) / x.std(axis=0))
    parameters = torch.zeros(d + 1, dtype=torch.float64, requires_grad=True)
    for _ in range(25):
        total = inputs @ parameters[:d] + parameters[d]
        loss = F.binary_cross_entropy_with_logits(total, torch.from_numpy(y).double())
        parameters.data -= 0.3 * torch.autograd.grad(loss, parameters)[0]
    expected = torch.sigmoid(inputs @ parameters[:d] + parameters[d]).detach()
    model = project_lifecycle.fit(x, y, n_steps=25, learning_rate=0.3)
    np.testing.assert_allclose(model[0], parameters[:d].detach(), rtol=1e-10)
    np.testing.assert_allclose(project_lifecycle.chance(x, model), expected, rtol=1e-10, atol=1e-12)
    # one row alone is scaled as the training set was
    np.testing.assert_allclose(project_lifecycle.chance(x[:1], model), expected[:1], rtol=1e-10)
    assert project_lifecycle.chance(x[:0], model).shape == (0,)


def test_totals_become_the_chances_that_the_lesson_names(project_lifecycle):
    model = (np.ones(1), 0.0, np.zeros(1), np.ones(1))
    chances = project_lifecycle.chance(np.array([[0.0], [2.0], [-2.0]]), model)
    assert (100 * chances).round().tolist() == [50, 88, 12]


def test_no_evening_knows_tomorrow(project_lifecycle):
    lesson = project_lifecycle
    day = 100
    row = lesson.days[lesson.today[day]]
    rain = float(row["precipitation"])
    measured = [float(row[name]) for name in ("temp_max", "temp_min", "wind")]
    before = float(lesson.days[lesson.today[day] - 1]["precipitation"]) > 0
    np.testing.assert_allclose(lesson.features[day], [rain > 0, math.log1p(rain), before, *measured])
    after = lesson.days[lesson.today[day] + 1]
    assert lesson.tomorrow[day] == (float(after["precipitation"]) > 0)


def test_the_three_sets_are_cut_along_time(project_lifecycle):
    lesson = project_lifecycle
    dates = np.array(lesson.dates)[lesson.today + 1]
    assert dates[lesson.train].max() < dates[lesson.validation].min()
    assert dates[lesson.validation].max() < dates[lesson.test].min()
    assert np.all(lesson.train.astype(int) + lesson.validation + lesson.test == 1)
    assert lesson.validation.sum() == lesson.test.sum() == 365


@pytest.mark.parametrize("start", ["\ufeffdate,", "date;", "day,"])
def test_a_record_with_other_columns_is_named(project_lifecycle, tmp_path, start):
    lesson = Path(project_lifecycle.__file__)
    record = (lesson.parent / "data" / "seattle_weather.csv").read_text(encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "seattle_weather.csv").write_text(
        record.replace("date,", start, 1), encoding="utf-8"
    )
    cell = next(cell for cell in lesson.read_text(encoding="utf-8").split("# %%\n") if "import csv" in cell)
    with pytest.raises(ValueError, match=r"no columns \['date'.*only \["):
        exec(cell, {"__file__": str(tmp_path / lesson.name)})


def test_the_record_is_whole_and_contradicts_itself(project_lifecycle):
    lesson = project_lifecycle
    assert len(set(lesson.dates)) == len(lesson.days) == 1461 and lesson.gaps == {1}
    assert lesson.wet_days.sum() == lesson.rained.sum()
    assert lesson.wet_days[0] > 50 and lesson.dry_days[3] > 30


def test_the_learner_does_not_beat_same_as_today(project_lifecycle):
    lesson = project_lifecycle
    dry, same, learner = lesson.accuracy.values()
    assert dry + 0.1 < learner <= same
    assert (lesson.only_baseline - lesson.only_learner) / 365 == pytest.approx(same - learner)


def test_the_leak_raises_the_comparison_and_fails_in_use(project_lifecycle):
    lesson = project_lifecycle
    without = lesson.accuracy["the learner"]
    compared, used = lesson.leaky_accuracy.values()
    assert used <= without < compared - 0.1
    later = lesson.with_word[:-1, 6:] - lesson.in_use[1:, 6:]
    assert not later.any()  # what is known tomorrow evening is what the leak knows today


def test_coins_are_counted_by_hand(project_lifecycle):
    covered, wet = np.array([True, True, False, False, False]), np.array([True, False, True, True, False])
    assert project_lifecycle.coins(covered, wet).tolist() == [2, 2, 10, 10, 0]
    assert project_lifecycle.threshold == 0.2


def test_the_paper_table_is_right(project_lifecycle):
    """Ten days with the cover cost 20 coins; without it, ten times the number of rainy ones."""
    for n_rainy in (1, 2, 3, 5):
        wet = np.arange(10) < n_rainy
        assert project_lifecycle.coins(np.ones(10, dtype=bool), wet).sum() == 20
        assert project_lifecycle.coins(np.zeros(10, dtype=bool), wet).sum() == 10 * n_rainy


def test_the_range_of_a_year_is_that_of_means_of_weeks(project_lifecycle):
    rng = np.random.default_rng(0)
    saved = rng.normal(loc=0.3, scale=2, size=365)
    saving, low, high = project_lifecycle.yearly(saved, np.random.default_rng(1), n_draws=20_000)
    weeks = saved[:364].reshape(52, 7).sum(axis=1)
    half = 1.96 * weeks.std() / math.sqrt(52) * 365 / 7
    middle = weeks.mean() * 365 / 7
    assert saving == pytest.approx(saved.sum())
    assert (low, high) == (
        pytest.approx(middle - half, abs=0.05 * half),
        pytest.approx(middle + half, abs=0.05 * half),
    )


def test_weeks_are_summed_and_the_rest_is_left_out(project_lifecycle):
    assert project_lifecycle.weekly(np.arange(16)).tolist() == [21, 70]
    assert project_lifecycle.weekly(np.arange(6)).shape == (0,)
    for name, weeks in project_lifecycle.weeks_2014.items():
        assert weeks.shape == (52,) and np.sum(weeks > 0) > np.sum(weeks < 0) > 0, name


def test_the_calendar_uses_the_training_years_alone(project_lifecycle):
    lesson = project_lifecycle
    covers = lesson.covered["calendar"]
    for number in range(1, 13):
        of_month = lesson.tomorrow_month == number
        share = lesson.tomorrow[of_month & lesson.train].mean()
        assert set(covers[of_month]) == {share > 0.2}
    assert set(lesson.tomorrow_month[~covers]) == {7, 8}


def test_with_the_right_threshold_the_learner_is_cheapest(project_lifecycle):
    lesson = project_lifecycle
    for part in (lesson.validation, lesson.test):
        costs = {name: cost[part].mean() for name, cost in lesson.daily.items()}
        assert costs["always cover"] == 2 and min(costs, key=costs.get) == "the learner"
    assert min(lesson.costs) > 0.9 * lesson.daily["the learner"][lesson.validation].mean()
    for numbers in (lesson.saved_2014, lesson.saved_2015):
        assert numbers["calendar"][1] < 0 < numbers["calendar"][0] < numbers["calendar"][2]
    assert np.all(np.diff(lesson.came) > 0) and np.abs(lesson.said - lesson.came).max() < 0.15


def test_trained_in_winter_it_is_wrong_in_summer(project_lifecycle):
    lesson = project_lifecycle
    assert set(lesson.month[lesson.today[lesson.hasty_days] + 1]) == {11, 12, 1, 2}
    june_to_august = slice(5, 8)
    assert lesson.monthly["trained on four months"][june_to_august].max() < 0.3
    assert lesson.monthly["the learner"][june_to_august].min() > 0.7


def test_the_lowest_temperature_misleads_it(project_lifecycle):
    """The parts add up to the total, and without the lowest temperature's part it would say 'dry'."""
    lesson = project_lifecycle
    for name, model in (("the learner", lesson.learner), ("trained on four months", lesson.hasty)):
        chance = lesson.chance(lesson.features[lesson.july].mean(axis=0, keepdims=True), model)[0]
        assert 1 / (1 + np.exp(-lesson.added[name].sum())) == pytest.approx(chance, rel=1e-10)
    parts = lesson.added["trained on four months"]
    lowest = lesson.FEATURES.index("lowest")
    assert parts.sum() > 0 > parts.sum() - parts[lowest]
    assert lesson.learner[0][lowest] > 0 and lesson.hasty[0][lowest] > 0
    assert lesson.lowest_wet > lesson.lowest_dry + 1


@pytest.mark.parametrize("months", [(11, 12, 1, 2), (12, 1, 2), (1, 2)])
def test_only_without_both_temperatures_is_it_right_in_july(project_lifecycle, months):
    """On the Julys of the last three years, trained on other winter months, too."""
    lesson = project_lifecycle
    days = lesson.train & np.isin(lesson.tomorrow_month, months)
    july = (lesson.tomorrow_month == 7) & (lesson.year[lesson.today + 1] > 2012)
    right = {}
    for left_out in ((), ("lowest",), ("highest",), ("highest", "lowest")):
        kept = [place for place, feature in enumerate(lesson.FEATURES) if feature not in left_out]
        model = lesson.fit(lesson.features[days][:, kept], lesson.tomorrow[days])
        says = lesson.chance(lesson.features[july][:, kept], model) > 0.5
        right[left_out] = np.mean(says == lesson.tomorrow[july])
    both = right.pop(("highest", "lowest"))
    assert len(right) == 3 and max(right.values()) < 0.2 and both > 0.8
    weight, _, _, scale = lesson.learner
    hasty_weight, _, _, hasty_scale = lesson.hasty
    assert (weight / scale)[3] < (hasty_weight / hasty_scale)[3] < 0


def test_wet_goods_fall_on_days_that_turn(project_lifecycle):
    lesson = project_lifecycle
    assert sum(lesson.outcome_days.values()).sum() == lesson.test.sum()
    assert lesson.outcome_days["goods wet"][[0, 2]].tolist() == [0, 0]  # no rain, no wet goods
    assert lesson.wet_goods[1] > 0.8 * lesson.wet_goods.sum()


# settings at the edge


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # the chance is zero, all the same
@pytest.mark.parametrize("n_steps, learning_rate", [(0, 1.0), (2, 0.0), (20, 100.0)])
def test_training_takes_settings_at_the_edge(
    what_is_ai, how_a_network_works, project_lifecycle, n_steps, learning_rate
):
    rng = np.random.default_rng(0)
    images, odd = rng.uniform(size=(9, 64)), np.arange(9) % 2
    for hidden_sizes in ([], [3]):
        network = what_is_ai.train_network(
            images, odd, hidden_sizes, n_steps, np.random.default_rng(0), learning_rate
        )
        start = what_is_ai.start_network(hidden_sizes, np.random.default_rng(0))
        same = all(np.array_equal(a, b) for now, then in zip(network, start) for a, b in zip(now, then))
        assert same == (n_steps * learning_rate == 0) and np.isfinite(network[-1][0]).all()
    model = project_lifecycle.fit(images, odd, n_steps, learning_rate)
    assert np.isfinite(model[0]).all() and np.any(model[0] != 0) == (n_steps * learning_rate > 0)
    lesson = how_a_network_works
    for batch_size in (1, 7, 999):
        _, errors, active = lesson.train_network(
            lesson.untrained, lesson.train[:20], n_steps + 1, learning_rate, rng, batch_size
        )
        assert errors.shape == (n_steps + 2, 2) and np.isfinite(errors).all() and np.isfinite(active).all()


@pytest.mark.parametrize(
    "stem, call, says",
    [
        *(
            (
                "how_a_network_works",
                lambda m, n=n, size=size: m.train_network(m.untrained, m.train, n, 0.1, None, size),
                f"n_epochs is {n} and batch_size {size}",
            )
            for n, size in ((0, 50), (1, 0), (1, -1))
        ),
        *(
            ("learning_paradigms", lambda m, n=n: m.species_of(m.bills[:2], n), f"1 to 150, got {n}")
            for n in (0, -1, 151)
        ),
        *(
            (
                "learning_paradigms",
                lambda m, pair=pair: m.walk(np.zeros((6, 8, 4)), {m.hut: 50}, *pair, None),
                f"randomness {pair[0]} and learning_rate {pair[1]} must lie in 0 to 1",
            )
            for pair in ((0.1, 100), (0.1, -0.5), (2, 0.5))
        ),
        (
            "project_lifecycle",
            lambda m: m.yearly(np.ones(6), np.random.default_rng(0)),
            "0 whole weeks and 2000 draws",
        ),
        (
            "project_lifecycle",
            lambda m: m.yearly(np.ones(30), np.random.default_rng(0), 0),
            "4 whole weeks and 0 draws",
        ),
    ],
)
def test_impossible_settings_are_named(lesson, stem, call, says):
    with pytest.raises(ValueError, match=says):
        call(lesson(stem))


def test_the_smallest_settings_are_enough(learning_paradigms, project_lifecycle):
    rng = np.random.default_rng(0)
    assert project_lifecycle.yearly(np.ones(7), rng, 1) == pytest.approx((365, 365, 365))
    m = learning_paradigms
    nearest = [m.neighbours(bird, m.bills[m.train], 150)[0] for bird in m.bills[m.test[:3]]]
    assert m.species_of(m.bills[m.test[:3]], 1).tolist() == m.labels[m.train][nearest].tolist()
    for randomness, learning_rate in ((0, 0), (1, 1)):
        assert len(m.walk(np.zeros((6, 8, 4)), {m.hut: 50}, randomness, learning_rate, rng)[0]) > 12


# benchmarks


@pytest.fixture
def batch(how_a_network_works):
    lesson = how_a_network_works
    return lesson.images[lesson.train[:50]], lesson.labels[lesson.train[:50]]


FORWARD_FLOPS = 2 * 50 * (64 * 12 + 12 * 10)


@pytest.mark.benchmark(group="forward pass of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["loops", "numpy"])
def test_forward_speed_on_the_cpu(how_a_network_works, timed, batch, implementation):
    x, network = batch[0], how_a_network_works.network
    expected = how_a_network_works.forward(x, network)[1]
    images, parts = x.tolist(), [part.tolist() for part in network]

    def loops():
        weight1, bias1, weight2, bias2 = parts
        shares = []
        for image in images:
            activations = [
                max(sum(w * ink for w, ink in zip(row, image)) + b, 0) for row, b in zip(weight1, bias1)
            ]
            powers = [
                math.exp(sum(w * call for w, call in zip(row, activations)) + b)
                for row, b in zip(weight2, bias2)
            ]
            shares.append([power / sum(powers) for power in powers])
        return shares

    if implementation == "loops":
        shares = timed(loops, flops=FORWARD_FLOPS)
    else:
        shares = timed(how_a_network_works.forward, x, network, flops=FORWARD_FLOPS)[1]
    np.testing.assert_allclose(shares, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.benchmark(group="forward pass of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
def test_forward_speed(how_a_network_works, timed, batch, device, implementation):
    x = torch.from_numpy(batch[0]).to(device)
    network = [torch.from_numpy(part).to(device) for part in how_a_network_works.network]
    expected = how_a_network_works.forward(batch[0], how_a_network_works.network)[1]
    weight1, bias1, weight2, bias2 = network

    def explicit():
        powers = ((x @ weight1.T + bias1).clamp(min=0) @ weight2.T + bias2).exp()
        return powers / powers.sum(dim=1, keepdim=True)

    def library():
        return torch_forward(x, network)[1].softmax(dim=1)

    shares = timed(explicit if "explicit" in implementation else library, flops=FORWARD_FLOPS)
    np.testing.assert_allclose(shares.cpu(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.benchmark(group="one learning step of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["numpy"])
def test_training_step_speed_on_the_cpu(how_a_network_works, timed, batch, implementation):
    network = [part.copy() for part in how_a_network_works.untrained]
    before = how_a_network_works.loss(*batch, network)
    timed(how_a_network_works.training_step, *batch, network, 0.05, flops=3 * FORWARD_FLOPS)
    assert how_a_network_works.loss(*batch, network) < before


@pytest.mark.benchmark(group="one learning step of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
def test_torch_training_step_speed(how_a_network_works, timed, batch, device, implementation):
    x, y = (torch.from_numpy(part).to(device) for part in batch)
    start = how_a_network_works.untrained
    network = [torch.from_numpy(part.copy()).to(device).requires_grad_() for part in start]
    optimizer = torch.optim.SGD(network, lr=0.05)

    def explicit():
        grads = torch.autograd.grad(F.cross_entropy(torch_forward(x, network)[1], y), network)
        with torch.no_grad():
            for part, grad in zip(network, grads):
                part -= 0.05 * grad

    def library():
        optimizer.zero_grad()
        F.cross_entropy(torch_forward(x, network)[1], y).backward()
        optimizer.step()

    step = explicit if "explicit" in implementation else library
    step()
    expected = [part.copy() for part in start]
    how_a_network_works.training_step(*batch, expected, 0.05)
    for ours, theirs in zip(expected, network, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().cpu(), rtol=1e-10, atol=1e-12)
    timed(step, flops=3 * FORWARD_FLOPS)
