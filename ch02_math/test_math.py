"""Chapter 2: what the lessons computed, and how fast their kernels are."""

import math

import numpy as np
import pytest
import torch


@pytest.fixture
def scalars_to_tensors(lesson):
    return lesson("scalars_to_tensors")


# 2.1 scalars_to_tensors


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_arrows_match_torch(scalars_to_tensors, n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    u, v = torch.from_numpy(a), torch.from_numpy(b)
    cosine = torch.cosine_similarity(u, v, dim=0)
    ours = [
        scalars_to_tensors.dot(a, b),
        scalars_to_tensors.norm(a),
        scalars_to_tensors.cosine(a, b),
        scalars_to_tensors.angle(a, b),
        *scalars_to_tensors.shadow(a, b),
    ]
    theirs = [u @ v, u.norm(), cosine, torch.rad2deg(torch.acos(cosine)), *(u @ v / (v @ v) * v)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-6 if n == 1 else 1e-12)


def test_angle_survives_rounding(scalars_to_tensors):
    for a in np.random.default_rng(0).normal(size=(50, 3)):
        assert scalars_to_tensors.angle(a, a) == pytest.approx(0, abs=1e-5)
        assert scalars_to_tensors.angle(a, -3 * a) == pytest.approx(180, abs=1e-5)


def test_shadow_leaves_a_perpendicular_rest(scalars_to_tensors):
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    rest = a - scalars_to_tensors.shadow(a, b)
    assert scalars_to_tensors.dot(rest, b) == pytest.approx(0, abs=1e-12)
    assert scalars_to_tensors.norm(rest) < scalars_to_tensors.norm(a)


def test_turning_keeps_length_and_moves_the_angle(scalars_to_tensors):
    a = [2.0, -0.5]
    for degrees in (0, 17, 90, 179):
        turned = scalars_to_tensors.turned(a, degrees)
        assert scalars_to_tensors.norm(turned) == pytest.approx(scalars_to_tensors.norm(a))
        assert scalars_to_tensors.angle(a, turned) == pytest.approx(degrees, abs=1e-5)
    np.testing.assert_allclose(scalars_to_tensors.turned([1, 0], 90), [0, 1], atol=1e-12)


@pytest.mark.parametrize("m, n", [(1, 1), (1, 7), (7, 1), (3, 5), (5, 2)])
def test_apply_matches_torch(scalars_to_tensors, m, n):
    rng = np.random.default_rng(m * n)
    matrix, x = rng.normal(size=(m, n)), rng.normal(size=n)
    theirs = torch.from_numpy(matrix) @ torch.from_numpy(x)
    np.testing.assert_allclose(scalars_to_tensors.apply(matrix, x), theirs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(scalars_to_tensors.combine(x, matrix.T), theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("m, n, hidden", [(1, 1, 1), (4, 7, 2), (7, 4, 3), (5, 5, 5), (3, 2, 0)])
def test_rank_matches_torch(scalars_to_tensors, m, n, hidden):
    rng = np.random.default_rng(n)
    matrix = rng.normal(size=(m, hidden)) @ rng.normal(size=(hidden, n)) * 1e-4
    assert scalars_to_tensors.rank(matrix) == torch.linalg.matrix_rank(torch.from_numpy(matrix)) == hidden


def test_bad_arrows_are_named(scalars_to_tensors):
    with pytest.raises(ValueError, match="2 and 3"):
        scalars_to_tensors.dot([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="1 amounts for 2"):
        scalars_to_tensors.combine([1], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="zero"):
        scalars_to_tensors.cosine([0, 0], [1, 2])
    with pytest.raises(ValueError, match="zero"):
        scalars_to_tensors.shadow([1, 2], [0, 0])
    with pytest.raises(ValueError):
        scalars_to_tensors.apply([[1, 2], [3]], [1, 2])


def test_the_closest_bird_is_mostly_of_the_same_species(scalars_to_tensors):
    directions, labels = scalars_to_tensors.directions, scalars_to_tensors.labels
    agreements = torch.from_numpy(directions) @ torch.from_numpy(directions).T
    closest = agreements.fill_diagonal_(-2).argmax(dim=1).numpy()
    assert np.array_equal(closest, scalars_to_tensors.closest)
    assert 0.93 < np.mean(labels[closest] == labels) < 1


def test_the_photo_mixes_into_gray(scalars_to_tensors):
    mixed = torch.tensor(scalars_to_tensors.photo, dtype=torch.float64) @ torch.from_numpy(
        scalars_to_tensors.weights
    )
    np.testing.assert_allclose(scalars_to_tensors.gray, mixed, rtol=1e-10)
    assert math.isclose(sum(scalars_to_tensors.weights), 1)
