"""Chapter 3: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def dataset(lesson):
    return lesson("dataset")


@pytest.fixture
def measuring_loss(lesson):
    return lesson("measuring_loss")


# 3.1 dataset

HEADER = "species,bill_length_mm,body_mass_g"


@pytest.mark.parametrize(
    "row, fault",
    [
        ("Emperor,39.5,3800", "unknown species 'Emperor'"),
        ("adelie,39.5,3800", "unknown species 'adelie'"),
        ("Emperor,NA,NA", "unknown species"),
        ("Adelie,39.5", "expected 3 fields"),
        ("Adelie,39,5,3800", "expected 3 fields"),
        ("Adelie,39.5,", "could not convert"),
        ("Adelie,39.5 mm,3800", "39.5 mm"),
        ("Adelie,nan,3800", "positive"),
        ("Adelie,39.5,inf", "positive"),
        ("Adelie,0,3800", "positive"),
        ("Adelie,39.5,-3800", "positive"),
    ],
)
def test_reading_names_the_broken_row(dataset, row, fault):
    lines = [HEADER, "Adelie,39.1,3750", row, "Gentoo,46.1,4500"]
    with pytest.raises(ValueError, match=f"line 3: .*{fault}"):
        dataset.read_penguins(lines, ("bill_length_mm", "body_mass_g"), dataset.SPECIES)


def test_reading_keeps_order_and_leaves_out_what_lacks_a_used_column(dataset):
    lines = [HEADER, "Gentoo,46.1,NA", "Adelie,NA,3700", "Chinstrap,50,3600"]
    measurements, labels = dataset.read_penguins(lines, ("bill_length_mm",), dataset.SPECIES)
    np.testing.assert_array_equal(measurements, [[46.1], [50.0]])
    np.testing.assert_array_equal(labels, [2, 1])
    assert measurements.dtype == np.float64 and labels.dtype == np.int64
    empty, none = dataset.read_penguins([HEADER], ("bill_length_mm", "body_mass_g"), dataset.SPECIES)
    assert empty.shape == (0, 2) and none.shape == (0,)


def test_the_file_is_read_as_published(dataset):
    np.testing.assert_array_equal(np.bincount(dataset.labels), [151, 68, 123])
    np.testing.assert_array_equal(dataset.measurements[0], [39.1, 18.7, 181, 3750])
    np.testing.assert_array_equal(dataset.measurements[-1], [50.2, 18.7, 198, 3775])


@pytest.mark.parametrize("n", [3, 7, 342])
@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.5), (0.6, 0.2, 0.2), (0.1, 0.2, 0.7)])
def test_shuffled_split_is_disjoint_and_covers_everything(dataset, n, shares):
    parts = dataset.shuffled_split(n, shares, np.random.default_rng(n))
    assert len(parts) == len(shares)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    np.testing.assert_allclose([len(part) for part in parts], np.multiply(shares, n), atol=1)


def test_every_bird_is_as_likely_in_each_part(dataset):
    rng = np.random.default_rng(0)
    inside = np.zeros(10)
    for _ in range(4000):
        inside[dataset.shuffled_split(10, (0.7, 0.3), rng)[1]] += 1
    np.testing.assert_allclose(inside / 4000, 0.3, atol=4 * np.sqrt(0.3 * 0.7 / 4000))


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.5, 0.25, 0.25)])
def test_stratified_split_keeps_each_class_share(dataset, shares):
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 4], [5, 40, 101]))
    parts = dataset.stratified_split(labels, shares, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for part, share in zip(parts, shares, strict=True):
        for label in (0, 1, 4):
            assert abs(np.sum(labels[part] == label) - share * np.sum(labels == label)) <= 1
        assert np.any(np.diff(labels[part]) < 0), "a part is sorted by class"


def test_splits_name_the_fault(dataset):
    rng = np.random.default_rng(0)
    for shares in ((0.6, 0.3), (0.5, 0.5, 0.0), (1.5, -0.5)):
        with pytest.raises(ValueError, match="sum to 1"):
            dataset.shuffled_split(10, shares, rng)
    with pytest.raises(ValueError, match="class 7 has 2 examples"):
        dataset.stratified_split(np.array([0] * 50 + [7] * 2), (0.6, 0.2, 0.2), rng)


def test_scale_matches_numpy_and_names_a_constant_column(dataset):
    x = np.random.default_rng(0).normal(3, 5, size=(7, 3))
    center, spread = dataset.fit_scale(x)
    np.testing.assert_allclose(center, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(spread, x.std(axis=0), rtol=1e-12)
    x[:, 1] = 4.0
    with pytest.raises(ValueError, match=r"\[1\]"):
        dataset.fit_scale(x)


def test_no_statistic_of_the_test_set_is_used(dataset):
    x = dataset.x[dataset.train]
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-12)
    changed = dataset.measurements.copy()
    changed[np.concatenate([dataset.validation, dataset.test])] += 1000
    np.testing.assert_array_equal(dataset.scaled(changed, dataset.train)[dataset.train], x)


def test_one_hot_matches_the_identity_and_names_the_range(dataset):
    labels = np.array([4, 0, 2, 2])
    np.testing.assert_array_equal(dataset.one_hot(labels, 5), np.eye(5)[labels])
    assert dataset.one_hot(np.array([], dtype=int), 3).shape == (0, 3)
    for wrong in ([0, 3], [-1, 2]):
        with pytest.raises(ValueError, match=r"0 … 2, got"):
            dataset.one_hot(wrong, 3)


@pytest.mark.parametrize(
    "n, batch_size, sizes", [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (5, 8, [5]), (3, 1, [1, 1, 1])]
)
def test_minibatches_deal_each_example_once(dataset, n, batch_size, sizes):
    rng = np.random.default_rng(0)
    batches = dataset.minibatches(n, batch_size, rng)
    assert [len(batch) for batch in batches] == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        dataset.minibatches(n, 0, rng)


def test_minibatches_come_in_a_new_order_each_epoch(dataset):
    rng = np.random.default_rng(0)
    first, second = (np.concatenate(dataset.minibatches(100, 10, rng)) for _ in range(2))
    assert not np.array_equal(first, second)


def test_nearest_mean_matches_a_hand_made_case(dataset):
    x_train, y_train = np.array([[0.0, 0], [2, 0], [10, 0], [5, 8]]), np.array([0, 0, 1, 2])
    predictions = dataset.nearest_mean(x_train, y_train, np.array([[1.0, 0], [9, 1], [5, 5], [4, 0]]))
    np.testing.assert_array_equal(predictions, [0, 1, 2, 0])


# 3.2 measuring_loss

LOSSES = {
    "squared_error": lambda scores, labels: (torch.sigmoid(scores) - labels) ** 2,
    "logistic_loss": lambda scores, labels: F.binary_cross_entropy_with_logits(
        scores, labels.double(), reduction="none"
    ),
}


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5)])
def test_sigmoid_matches_torch(measuring_loss, shape):
    scores = np.random.default_rng(0).normal(scale=20, size=shape)
    expected = torch.sigmoid(torch.from_numpy(scores)).numpy()
    np.testing.assert_allclose(measuring_loss.sigmoid(scores), expected, rtol=1e-12)
    assert measuring_loss.sigmoid(0.0) == 0.5


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n", [1, 7, 64])
def test_loss_matches_torch(measuring_loss, name, n):
    rng = np.random.default_rng(n)
    scores, labels = rng.normal(scale=4, size=n), rng.integers(2, size=n)
    expected = LOSSES[name](torch.from_numpy(scores), torch.from_numpy(labels))
    np.testing.assert_allclose(getattr(measuring_loss, name)(scores, labels), expected, rtol=1e-10)


def test_logistic_loss_is_finite_at_hopeless_scores(measuring_loss):
    scores = np.array([-1e4, 1e4, 1e4, -1e4])
    losses = measuring_loss.logistic_loss(scores, np.array([1, 0, 1, 0]))
    np.testing.assert_array_equal(losses, [1e4, 1e4, 0, 0])


def test_losses_name_the_fault(measuring_loss):
    for loss in (measuring_loss.squared_error, measuring_loss.logistic_loss):
        with pytest.raises(ValueError, match=r"\(3,\).*\(3, 1\)"):
            loss(np.zeros(3), np.zeros((3, 1)))
        with pytest.raises(ValueError, match=r"got \[-1, 1\]"):
            loss(np.zeros(2), np.array([-1, 1]))
    half = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(3,\)"):
        measuring_loss.cross_entropy(half, np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match=r"\(2,\).*\(2,\)"):
        measuring_loss.cross_entropy(half[0], np.zeros(2, dtype=int))
    for wrong in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="0 … 1"):
            measuring_loss.cross_entropy(half, np.array(wrong))
    for rows in ([[0.5, 0.6], [0.5, 0.5]], [[1.5, -0.5], [0.5, 0.5]]):
        with pytest.raises(ValueError, match="sum to 1"):
            measuring_loss.cross_entropy(np.array(rows), np.array([0, 1]))


def test_mistakes_counts_by_side(measuring_loss):
    scores, labels = np.array([-2.0, 3.0, 0.5, -0.1]), np.array([0, 1, 0, 1])
    assert measuring_loss.mistakes(scores, labels) == 0.5
    assert measuring_loss.mistakes(scores[:3], labels[:3]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("n, n_classes", [(1, 2), (7, 3), (20, 11)])
def test_cross_entropy_matches_torch(measuring_loss, n, n_classes):
    rng = np.random.default_rng(n)
    probabilities, labels = rng.dirichlet(np.ones(n_classes), size=n), rng.integers(n_classes, size=n)
    expected = F.nll_loss(torch.from_numpy(probabilities).log(), torch.from_numpy(labels)).item()
    assert measuring_loss.cross_entropy(probabilities, labels) == pytest.approx(expected, rel=1e-12)


def test_an_impossible_event_is_infinitely_surprising(measuring_loss):
    assert measuring_loss.cross_entropy(np.array([[1.0, 0.0]]), np.array([1])) == np.inf


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_the_guesser_loses_the_logarithm_of_the_classes(measuring_loss, n_classes):
    labels = np.random.default_rng(0).integers(n_classes, size=30)
    guess = np.full((30, n_classes), 1 / n_classes)
    assert measuring_loss.cross_entropy(guess, labels) == pytest.approx(np.log(n_classes), rel=1e-12)


def test_descent_ends_at_the_lowest_point_of_the_map(measuring_loss):
    w, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in measuring_loss.path[-1])
    x, y = torch.from_numpy(measuring_loss.x), torch.from_numpy(measuring_loss.y).double()
    F.binary_cross_entropy_with_logits(w * x + b, y).backward()
    assert abs(w.grad) < 1e-3 and abs(b.grad) < 1e-3
    assert measuring_loss.surface.min() == pytest.approx(measuring_loss.losses[-1], abs=1e-3)
    one, two = measuring_loss.path[:2]
    with torch.no_grad():
        w.fill_(one[0]), b.fill_(one[1])
    w.grad = b.grad = None
    F.binary_cross_entropy_with_logits(w * x + b, y).backward()
    np.testing.assert_allclose(
        two, one - measuring_loss.learning_rate * np.array([w.grad, b.grad]), rtol=1e-8
    )


def test_only_squared_error_stays_with_the_guesser(measuring_loss):
    last = {name: values[-1] for name, values in measuring_loss.accuracies.items()}
    assert last["cross-entropy"] > 0.9 > 0.72 > last["squared error"]
