"""Chapter 5: what the lessons computed, and how fast their kernels are."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def perceptron(lesson):
    return lesson("perceptron")


# 5.1 perceptron


def separable(n, dim, rng):
    """n points with a known separating direction and margin: (n, dim + 1), (n,), unit vector, margin."""
    points = np.column_stack([rng.normal(size=(n, dim)), np.ones(n)])
    direction = rng.normal(size=dim + 1)
    direction /= np.linalg.norm(direction)
    signs = np.where(points @ direction > 0, 1, -1)
    points += 0.2 * signs[:, None] * direction
    return points, signs, direction, float(np.min(signs * (points @ direction)))


@pytest.mark.parametrize("n, dim", [(1, 1), (7, 2), (101, 5)])
def test_perceptron_matches_sgd_on_its_loss(perceptron, n, dim):
    """Rosenblatt's update is a gradient step of size one on relu(-y w·x), examples taken one by one."""
    x, y, _, _ = separable(n, dim, np.random.default_rng(n))
    history, culprits, mistakes = perceptron.perceptron(x, y, n_epochs=3)
    assert len(history) == len(culprits) + 1 == sum(mistakes) + 1
    weight = torch.from_numpy(y[0] * x[0]).requires_grad_()  # relu has no slope at the zero start
    expected = [np.zeros(dim + 1), weight.detach().numpy().copy()]
    for i in [*range(1, n), *list(range(n)) * (len(mistakes) - 1)]:
        loss = F.relu(-y[i] * (weight @ torch.from_numpy(x[i])))
        (gradient,) = torch.autograd.grad(loss, weight)
        if gradient.any():
            weight = (weight - gradient).detach().requires_grad_()
            expected.append(weight.detach().numpy())
    np.testing.assert_allclose(history, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_mistakes_never_exceed_the_bound(perceptron, seed):
    x, y, _, margin = separable(60, 3, np.random.default_rng(seed))
    history, culprits, mistakes = perceptron.perceptron(x, y, n_epochs=10_000)
    assert mistakes[-1] == 0 and 0 not in mistakes[:-1]
    assert np.all(y * (x @ history[-1]) > 0)
    assert len(culprits) <= (np.max(np.linalg.norm(x, axis=1)) / margin) ** 2


@pytest.mark.parametrize("seed", range(4))
def test_widest_margin_beats_every_direction_tried(perceptron, seed):
    rng = np.random.default_rng(seed)
    x, y, direction, known = separable(40, 2, rng)
    u, margin, ceiling = perceptron.widest_margin(x, y, n_steps=20_000)
    assert np.linalg.norm(u) == pytest.approx(1)
    assert margin == pytest.approx(np.min(y * (x @ u)))
    tried = direction + 0.5 * rng.normal(size=(20_000, 3))
    best = np.max(np.min((tried / np.linalg.norm(tried, axis=1, keepdims=True)) @ (x * y[:, None]).T, axis=1))
    assert max(known, best) <= ceiling * (1 + 1e-9)
    assert margin > 0.99 * ceiling


def test_penguins_stay_under_the_bound(perceptron):
    assert 0 < perceptron.margin <= perceptron.ceiling
    assert perceptron.n_updates.max() < perceptron.bound
    assert perceptron.n_updates.max() > 1.5 * perceptron.n_updates.min()  # the order matters


def test_xor_never_converges(perceptron):
    x = np.column_stack([perceptron.corners, np.ones(4)])
    _, _, mistakes = perceptron.perceptron(x, perceptron.xor, n_epochs=500)
    assert len(mistakes) == 500 and min(mistakes) > 0


def test_pocket_keeps_the_best(perceptron):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(31, 3)), np.where(rng.random(31) < 0.5, 1, -1)
    weight, share = perceptron.pocket(x, y, n_epochs=7)
    history, _, _ = perceptron.perceptron(x, y, n_epochs=7)
    assert share.shape == (len(history),)
    by_hand = [float(np.mean([t * (w @ v) > 0 for v, t in zip(x, y)])) for w in history]
    np.testing.assert_allclose(share, by_hand)
    assert np.mean(y * (x @ weight) > 0) == max(by_hand) > by_hand[-1]
    assert perceptron.best_so_far[-1] == perceptron.share.max() < 1


def test_drawn_line_is_where_the_score_is_zero(perceptron):
    weight = np.array([0.7, -1.3, 0.4])
    fig, ax = plt.subplots()
    perceptron.draw_sides(ax, weight, (-3, 4), (-2, 5))
    line = ax.collections[-1].get_paths()[0].vertices
    plt.close(fig)
    assert len(line) > 10
    np.testing.assert_allclose(line @ weight[:2] + weight[2], 0, atol=1e-9)


def test_perceptron_names_the_fault(perceptron):
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(4,\)"):
        perceptron.perceptron(np.ones((3, 2)), np.ones(4), 1)
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 1\)"):
        perceptron.perceptron(np.ones((3, 2)), np.ones((3, 1)), 1)
    with pytest.raises(ValueError, match="0 1"):
        perceptron.perceptron(np.ones((2, 2)), np.array([0, 1]), 1)


def test_linear_layer_decides_the_same(perceptron):
    np.testing.assert_array_equal(perceptron.decisions, perceptron.torch_decisions)
    assert perceptron.decisions.any() and not perceptron.decisions.all()
