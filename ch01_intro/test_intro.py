"""Chapter 1: the numbers behind the pictures, and how fast the tiny network is."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F


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


# 1.2 how_a_network_works


def network_of(rng, n_neurons=12):
    """Random knobs, biases included: what `forward` and `learning_step` take."""
    return [rng.normal(scale=0.5, size=shape) for shape in ((n_neurons, 64), n_neurons, (10, n_neurons), 10)]


def torch_forward(images, network):
    weight1, opinion1, weight2, opinion2 = network
    calls = F.linear(images, weight1, opinion1).relu()
    return calls, F.linear(calls, weight2, opinion2)


def test_the_neuron_votes_as_nearest_average(how_a_network_works):
    lesson = how_a_network_works
    images = lesson.images[lesson.new][lesson.labels[lesson.new] < 2]
    nearer_one = ((images - lesson.average_one) ** 2).sum(1) < ((images - lesson.average_zero) ** 2).sum(1)
    np.testing.assert_array_equal(images @ lesson.knobs + lesson.opinion > 0, nearer_one)
    assert lesson.totals[lesson.zero] < 0 < lesson.totals[lesson.one]
    assert lesson.labels[[lesson.zero, lesson.one]].tolist() == [0, 1]


@pytest.mark.parametrize("n, n_neurons", [(1, 12), (7, 5)])
def test_forward_and_loss_match_pytorch(how_a_network_works, n, n_neurons):
    rng = np.random.default_rng(n)
    network, images, labels = network_of(rng, n_neurons), rng.uniform(size=(n, 64)), rng.integers(10, size=n)
    calls, shares = how_a_network_works.forward(images, network)
    expected_calls, totals = torch_forward(torch.from_numpy(images), map(torch.from_numpy, network))
    np.testing.assert_allclose(calls, expected_calls, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(shares, totals.softmax(dim=1), rtol=1e-10, atol=1e-12)
    ours = how_a_network_works.loss(images, labels, network)
    assert ours == pytest.approx(F.cross_entropy(totals, torch.from_numpy(labels)).item(), rel=1e-10)
    np.testing.assert_array_equal(how_a_network_works.answers(images, network), totals.argmax(dim=1))


def test_confidence_survives_loud_totals(how_a_network_works):
    totals = np.array([[1e4, 0, -1e4] + [0] * 7, [3.0] * 10])
    shares = how_a_network_works.confidence(totals)
    np.testing.assert_allclose(shares, [[1] + [0] * 9, [0.1] * 10], rtol=1e-10)


@pytest.mark.parametrize("n", [1, 7])
def test_learning_step_matches_autograd(how_a_network_works, n):
    rng = np.random.default_rng(n)
    network, images, labels = network_of(rng), rng.uniform(size=(n, 64)), rng.integers(10, size=n)
    tensors = [torch.from_numpy(part.copy()).requires_grad_() for part in network]
    totals = torch_forward(torch.from_numpy(images), tensors)[1]
    grads = torch.autograd.grad(F.cross_entropy(totals, torch.from_numpy(labels)), tensors)
    how_a_network_works.learning_step(images, labels, network, 0.3)
    for ours, before, grad in zip(network, tensors, grads, strict=True):
        np.testing.assert_allclose(ours, before.detach() - 0.3 * grad, rtol=1e-10, atol=1e-12)


def test_turning_one_knob_makes_a_valley(how_a_network_works):
    lesson = how_a_network_works
    assert np.all(np.diff(lesson.valley, 2) > 0)  # the loss is convex in a knob of the last layer
    bottom = lesson.turns[lesson.valley.argmin()]
    assert lesson.downhill == np.sign(bottom - lesson.here)
    part = lesson.untrained[2].copy()
    network = [*lesson.untrained[:2], part, lesson.untrained[3]]
    part[lesson.knob] = lesson.turns[3]
    images, labels = lesson.images[lesson.practice], lesson.labels[lesson.practice]
    assert lesson.loss(images, labels, network) == pytest.approx(lesson.valley[3])


def test_losses_along_puts_the_knob_back(how_a_network_works):
    part = how_a_network_works.network[2]
    before = part.copy()
    how_a_network_works.losses_along((1, 2), [5.0, -5.0], part)
    np.testing.assert_array_equal(part, before)


def test_training_takes_guessing_to_reading(how_a_network_works):
    wrong = how_a_network_works.wrong
    assert wrong["new digits"][0] > 80 and wrong["new digits"][-1] < 8
    assert wrong["practised digits"][-1] < wrong["new digits"][-1]
    assert how_a_network_works.n_knobs == 12 * 65 + 10 * 13


def test_roughness_of_noise_is_two(how_a_network_works):
    noise = np.random.default_rng(0).normal(size=(4000, 64))
    assert how_a_network_works.roughness(noise) == pytest.approx(2, abs=0.05)
    ramp = np.tile(np.arange(8.0), (3, 8))  # rises to the right by one, eight values of variance 5.25
    assert how_a_network_works.roughness(ramp) == pytest.approx(1 / 5.25)
    assert how_a_network_works.rough[1] < 0.85 * how_a_network_works.rough[0]


def test_silent_members_were_never_corrected(how_a_network_works):
    lesson = how_a_network_works
    calls = lesson.forward(lesson.images[lesson.practice], lesson.network)[0]
    assert np.all(calls[:, lesson.never_speak] == 0) and len(lesson.never_speak) < 6


def test_confidence_tells_right_from_wrong(how_a_network_works):
    lesson = how_a_network_works
    assert sum(group.sum() for group in lesson.groups) == len(lesson.new)
    low, middle, high = lesson.error_rates
    assert low > middle > high
    share = lesson.forward(lesson.images[[lesson.mistake]], lesson.network)[1][0]
    assert share.argmax() != lesson.labels[lesson.mistake] and share.max() > 0.7


# 1.3 learning_paradigms


def test_neighbours_are_the_nearest_first(learning_paradigms):
    rng = np.random.default_rng(0)
    bird, others = rng.normal(size=2), rng.normal(size=(40, 2))
    scaled = [((other - bird) / learning_paradigms.spread).tolist() for other in others]
    distances = [math.hypot(*gap) for gap in scaled]
    expected = sorted(range(40), key=distances.__getitem__)[:7]
    assert learning_paradigms.neighbours(bird, others, 7).tolist() == expected


def test_species_is_the_majority_of_the_neighbours(learning_paradigms):
    lesson = learning_paradigms
    birds = lesson.measurements[lesson.known]
    np.testing.assert_array_equal(lesson.species_of(birds, 1)[:50], lesson.labels[lesson.known][:50])
    everybody = np.bincount(lesson.labels[lesson.known]).argmax()
    assert set(lesson.species_of(birds[:9], len(birds))) == {everybody}


def test_the_teacher_helps_on_new_birds(learning_paradigms):
    lesson = learning_paradigms
    assert not set(lesson.known) & set(lesson.new) and len(lesson.labels) == 342
    assert lesson.exam_score > 0.9
    assert lesson.ballot.sum() == 5 and lesson.ballot.argmax() == lesson.labels[lesson.newcomer]
    assert lesson.agreed[lesson.missed].mean() < lesson.agreed[~lesson.missed].mean() / 2


def test_a_round_of_k_means_matches_loops(learning_paradigms):
    lesson = learning_paradigms
    rng = np.random.default_rng(1)
    birds, middles = rng.normal(size=(29, 2)), rng.normal(size=(4, 2))
    piles = lesson.lay_on_piles(birds, middles)
    scaled = torch.cdist(torch.from_numpy(birds / lesson.spread), torch.from_numpy(middles / lesson.spread))
    np.testing.assert_array_equal(piles, scaled.argmin(dim=1))
    moved = lesson.move_middles(birds, piles, middles)
    for pile in range(4):
        np.testing.assert_allclose(moved[pile], birds[piles == pile].mean(axis=0), rtol=1e-10)


def test_an_empty_pile_keeps_its_middle(learning_paradigms):
    lesson = learning_paradigms
    birds, middles = np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([[0.0, 0.0], [1e6, 1e6]])
    piles = lesson.lay_on_piles(birds, middles)
    np.testing.assert_array_equal(lesson.move_middles(birds, piles, middles), [[2, 4], middles[1]])


def test_each_round_tightens_the_piles_until_nothing_moves(learning_paradigms):
    lesson = learning_paradigms
    gaps = [
        (((lesson.measurements - middles[piles]) / lesson.spread) ** 2).sum()
        for piles, middles in lesson.history
    ]
    assert np.all(np.diff(gaps) < 0) and len(gaps) > 4
    piles, middles = lesson.history[-1]
    np.testing.assert_allclose(lesson.move_middles(lesson.measurements, piles, middles), middles)


def test_found_groups_are_nearly_the_species(learning_paradigms):
    lesson = learning_paradigms
    assert lesson.counts.sum() == len(lesson.labels) and sorted(lesson.mostly) == [0, 1, 2]
    assert lesson.agreement == pytest.approx(lesson.counts.max(axis=1).sum() / len(lesson.labels))
    assert lesson.agreement > 0.85


def shortest_way(lesson):
    """Steps from every free square to the exit, by breadth-first search."""
    steps, queue = {lesson.exit_: 0}, [lesson.exit_]
    for row, column in queue:
        for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            inside = 0 <= other[0] < len(lesson.MAZE) and 0 <= other[1] < len(lesson.MAZE[0])
            if inside and lesson.MAZE[other[0]][other[1]] != "#" and other not in steps:
                steps[other] = steps[row, column] + 1
                queue.append(other)
    return steps


def test_walls_and_edges_stop_the_agent(learning_paradigms):
    up, right, down, left = range(4)
    step = learning_paradigms.step
    assert step((0, 0), up) == ((0, 0), -1) and step((0, 0), left) == ((0, 0), -1)
    assert step((1, 0), right) == ((1, 0), -1) and step((0, 0), right) == ((0, 1), -1)
    assert step((4, 7), down) == ((5, 7), 49) and step((5, 6), right) == ((5, 7), 49)
    assert step((3, 7), right) == ((3, 7), -1) and step((5, 0), down) == ((5, 0), -1)


def test_the_learned_way_is_the_shortest(learning_paradigms):
    lesson = learning_paradigms
    steps = shortest_way(lesson)[lesson.start]
    assert len(lesson.final_path) - 1 == steps and lesson.final_points == 50 - steps
    assert lesson.rewards[0] < 0 and np.mean(lesson.rewards[-50:]) > 30


def test_the_notebook_comes_to_hold_the_true_points(learning_paradigms):
    """With curiosity alone every square is met, and each promise becomes 50 minus the steps to the exit."""
    lesson = learning_paradigms
    notebook, rng = np.zeros((*lesson.walls.shape, 4)), np.random.default_rng(1)
    for _ in range(400):
        path, points = lesson.one_try(notebook, 1.0, 1.0, rng)
        assert len(path) - 1 == (50 if path[-1] == lesson.exit_ else 0) - points and len(path) <= 201
    for square, steps in shortest_way(lesson).items():
        assert notebook[square].max() == (50 - steps if steps else 0)


def test_learning_rate_corrects_by_its_share(learning_paradigms):
    lesson = learning_paradigms
    notebook = np.full((*lesson.walls.shape, 4), -5.0)
    notebook[lesson.start][1] = 3.0  # the greedy agent goes right first, to a square that promises -5
    notebook[lesson.exit_] = 0
    path, _ = lesson.one_try(notebook, 0.0, 0.25, np.random.default_rng(0))
    assert path[1] == (0, 1)
    fresh = np.zeros_like(notebook)
    fresh[lesson.start][1] = 1.0
    lesson.one_try(fresh, 0.0, 0.0, np.random.default_rng(0))
    assert fresh.sum() == 1.0  # a rate of zero changes nothing


def test_good_news_creeps_back(learning_paradigms):
    hopeful = list(learning_paradigms.hopeful.values())
    assert hopeful[0] == 1 and hopeful == sorted(hopeful) and hopeful[-1] > 15


# 1.4 project_lifecycle


@pytest.mark.parametrize("n, d", [(1, 1), (13, 1), (37, 5)])
def test_fit_matches_logistic_regression_in_pytorch(project_lifecycle, n, d):
    rng = np.random.default_rng(n)
    x, y = rng.normal(loc=3, scale=7, size=(n + 1, d)), np.arange(n + 1) % 2 == 0
    inputs = torch.from_numpy((x - x.mean(axis=0)) / x.std(axis=0))
    knobs = torch.zeros(d + 1, dtype=torch.float64, requires_grad=True)
    for _ in range(25):
        score = inputs @ knobs[:d] + knobs[d]
        loss = F.binary_cross_entropy_with_logits(score, torch.from_numpy(y).double())
        knobs.data -= 0.3 * torch.autograd.grad(loss, knobs)[0]
    expected = torch.sigmoid(inputs @ knobs[:d] + knobs[d]).detach()
    ours = project_lifecycle.fit(x, y, n_steps=25, learning_rate=0.3)
    np.testing.assert_allclose(ours(x), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours(x[:1]), expected[:1], rtol=1e-10)  # as it was scaled when it learned


def test_no_evening_knows_tomorrow(project_lifecycle):
    lesson = project_lifecycle
    day = 100
    row = lesson.diary[lesson.today[day]]
    rain = float(row["precipitation"])
    measured = [float(row[name]) for name in ("temp_max", "temp_min", "wind")]
    before = float(lesson.diary[lesson.today[day] - 1]["precipitation"]) > 0
    np.testing.assert_allclose(lesson.known[day], [rain > 0, math.log1p(rain), before, *measured])
    after = lesson.diary[lesson.today[day] + 1]
    assert lesson.tomorrow[day] == (float(after["precipitation"]) > 0)
    dates = np.array(lesson.dates)[lesson.today + 1]
    assert dates[lesson.learn].max() < dates[lesson.decide].min()
    assert dates[lesson.decide].max() < dates[lesson.future].min()


def test_the_diary_is_whole_and_contradicts_itself(project_lifecycle):
    lesson = project_lifecycle
    assert len(set(lesson.dates)) == len(lesson.diary) == 1461
    assert lesson.wet_days.sum() == lesson.rained.sum()
    assert lesson.wet_days[0] > 50 and lesson.dry_days[3] > 30


def test_the_learner_does_not_beat_same_as_today(project_lifecycle):
    dry, same, learner = project_lifecycle.marks.values()
    assert dry + 0.1 < learner <= same


def test_the_leak_shines_in_the_exam_and_fails_at_work(project_lifecycle):
    honest = project_lifecycle.marks["the learner"]
    assert project_lifecycle.use + 0.03 < honest < project_lifecycle.exam - 0.05
    later = project_lifecycle.with_leak[:-1, 6:] - project_lifecycle.in_use[1:, 6:]
    assert not later.any()  # what is known tomorrow evening is what the leak knows today


def test_cost_counts_coins_by_hand(project_lifecycle):
    covered, wet = np.array([True, True, False, False, False]), np.array([True, False, True, True, False])
    assert project_lifecycle.cost(covered, wet) == (2 + 2 + 10 + 10 + 0) / 5


def test_used_with_care_the_learner_saves_coins(project_lifecycle):
    lesson = project_lifecycle
    assert lesson.daily < 0.95 * min(lesson.rivals.values())
    assert lesson.rivals["always cover"] == 2 and lesson.limit == 0.2
    assert lesson.costs.min() > 0.9 * lesson.daily  # the limit from the coins is near the best one
    assert lesson.launch_cost < lesson.launch_always
    assert np.all(np.diff(lesson.came) > 0) and np.abs(lesson.said - lesson.came).max() < 0.15


def test_taught_on_winter_it_is_helpless_in_summer(project_lifecycle):
    lesson = project_lifecycle
    assert set(lesson.month[lesson.today[lesson.winter] + 1]) == {11, 12, 1, 2}
    june_to_august = slice(5, 8)
    assert lesson.monthly["taught on winter only"][june_to_august].max() < 0.3
    assert lesson.monthly["the learner"][june_to_august].min() > 0.7


def test_wet_goods_fall_on_days_that_turn(project_lifecycle):
    lesson = project_lifecycle
    assert sum(lesson.fate_days.values()).sum() == lesson.future.sum()
    assert lesson.fate_days["goods wet"][[0, 2]].tolist() == [0, 0]  # no rain, no wet goods
    assert lesson.wet_goods[1] > 0.8 * lesson.wet_goods.sum()


# benchmarks


@pytest.fixture
def batch(how_a_network_works):
    lesson = how_a_network_works
    return lesson.images[lesson.practice[:50]], lesson.labels[lesson.practice[:50]]


FORWARD_FLOPS = 2 * 50 * (64 * 12 + 12 * 10)


@pytest.mark.benchmark(group="forward pass of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["loops", "numpy"])
def test_forward_speed_on_the_cpu(how_a_network_works, timed, batch, implementation):
    x, network = batch[0], how_a_network_works.network
    expected = how_a_network_works.forward(x, network)[1]
    images, parts = x.tolist(), [part.tolist() for part in network]

    def loops():
        weight1, opinion1, weight2, opinion2 = parts
        shares = []
        for image in images:
            calls = [
                max(sum(w * ink for w, ink in zip(row, image)) + b, 0) for row, b in zip(weight1, opinion1)
            ]
            votes = [
                math.exp(sum(w * call for w, call in zip(row, calls)) + b)
                for row, b in zip(weight2, opinion2)
            ]
            shares.append([vote / sum(votes) for vote in votes])
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
    weight1, opinion1, weight2, opinion2 = network

    def explicit():
        votes = ((x @ weight1.T + opinion1).clamp(min=0) @ weight2.T + opinion2).exp()
        return votes / votes.sum(dim=1, keepdim=True)

    def library():
        return torch_forward(x, network)[1].softmax(dim=1)

    shares = timed(explicit if "explicit" in implementation else library, flops=FORWARD_FLOPS)
    np.testing.assert_allclose(shares.cpu(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.benchmark(group="one learning step of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["numpy"])
def test_learning_step_speed_on_the_cpu(how_a_network_works, timed, batch, implementation):
    network = [part.copy() for part in how_a_network_works.untrained]
    before = how_a_network_works.loss(*batch, network)
    timed(how_a_network_works.learning_step, *batch, network, 0.05, flops=3 * FORWARD_FLOPS)
    assert how_a_network_works.loss(*batch, network) < before


@pytest.mark.benchmark(group="one learning step of the tiny network, 50 digits, float64")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
def test_torch_learning_step_speed(how_a_network_works, timed, batch, device, implementation):
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
    how_a_network_works.learning_step(*batch, expected, 0.05)
    for ours, theirs in zip(expected, network, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().cpu(), rtol=1e-10, atol=1e-12)
    timed(step, flops=3 * FORWARD_FLOPS)
