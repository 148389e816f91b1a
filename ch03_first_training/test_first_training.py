"""Chapter 3: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest


@pytest.fixture
def dataset(lesson):
    return lesson("dataset")


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
