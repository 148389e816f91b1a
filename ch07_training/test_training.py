"""Chapter 7: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def loss_surface_and_sgd(lesson):
    return lesson("loss_surface_and_sgd")


# 7.1 loss_surface_and_sgd


def quadratic(n, seed=0):
    """A symmetric matrix with both signs of curvature, and the function w -> w·A·w / 2."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n, n, dtype=torch.float64, generator=generator)
    a = (a + a.T) / 2
    return a, lambda w: w @ a @ w / 2


@pytest.mark.parametrize("n", [1, 2, 7])
def test_products_match_the_hessian(loss_surface_and_sgd, n):
    torch.manual_seed(n)
    w, v = torch.randn(2, n, dtype=torch.float64)
    f = lambda w: (torch.tanh(w).sum() ** 3 + (w * w * w).sum()).exp().log1p()  # noqa: E731
    expected = torch.autograd.functional.hessian(f, w) @ v
    torch.testing.assert_close(
        loss_surface_and_sgd.hessian_vector_product(f, w, v), expected, rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(loss_surface_and_sgd.nudged_product(f, w, v), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(loss_surface_and_sgd.gradient_at(f, w), torch.func.grad(f)(w))


@pytest.mark.parametrize("n", [1, 3, 11])
def test_power_iteration_matches_eigh(loss_surface_and_sgd, n):
    a, f = quadratic(n)
    values, vectors = torch.linalg.eigh(a)
    expected = values.abs().argmax()
    product = lambda v: loss_surface_and_sgd.hessian_vector_product(f, torch.zeros(n, dtype=torch.float64), v)  # noqa: E731
    value, vector = loss_surface_and_sgd.power_iteration(
        product, torch.ones(n, dtype=torch.float64), tolerance=1e-9
    )
    assert value == pytest.approx(values[expected].item(), rel=1e-8)
    assert abs(vector @ vectors[:, expected]).item() == pytest.approx(1, abs=1e-8)


def test_power_iteration_names_the_shortage_of_steps(loss_surface_and_sgd):
    a, _ = quadratic(5)
    with pytest.raises(ValueError, match="after 2 steps"):
        loss_surface_and_sgd.power_iteration(lambda v: a @ v, torch.ones(5, dtype=torch.float64), n_steps=2)


def test_descend_matches_the_closed_form(loss_surface_and_sgd):
    curvatures = np.array([0.5, 3.0, 7.0])
    path = loss_surface_and_sgd.descend(lambda w: curvatures * w, [1.0, -2.0, 0.5], 0.1, 13)
    expected = np.array([1.0, -2.0, 0.5]) * (1 - 0.1 * curvatures) ** np.arange(14)[:, None]
    np.testing.assert_allclose(path, expected, rtol=1e-10)


def test_scores_match_nn_linear(loss_surface_and_sgd):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Tanh(), torch.nn.Linear(8, 10)).double()
    w = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    x = torch.randn(5, 64, dtype=torch.float64)
    torch.testing.assert_close(loss_surface_and_sgd.scores(w, x), model(x))


def test_penalty_pulls_by_its_strength(loss_surface_and_sgd):
    m = loss_surface_and_sgd
    w = torch.randn(sum(m.sizes), generator=torch.Generator().manual_seed(0))
    pull = m.gradient_at(m.loss_at, w) - m.gradient_at(lambda w: m.loss_at(w, strength=0.0), w)
    torch.testing.assert_close(pull, 0.01 * w, rtol=1e-3, atol=1e-5)


def test_directions_have_the_length_of_each_row(loss_surface_and_sgd):
    m = loss_surface_and_sgd
    torch.manual_seed(0)
    w, noise = torch.randn(2, sum(m.sizes), dtype=torch.float64)
    parts = m.filter_normalised(w, noise).split(m.sizes)
    for part, own, random, shape in zip(parts, w.split(m.sizes), noise.split(m.sizes), m.shapes, strict=True):
        if len(shape) == 1:
            assert not part.any()
        else:
            rows = part.reshape(shape)
            torch.testing.assert_close(rows.norm(dim=1), own.reshape(shape).norm(dim=1))
            cosines = F.cosine_similarity(rows, random.reshape(shape))
            torch.testing.assert_close(cosines, torch.ones_like(cosines))


def test_slice_has_its_second_direction_upwards(loss_surface_and_sgd):
    w, first, second = torch.eye(3, dtype=torch.float64)
    f = lambda w: w[1] + 10 * w[2] + 100 * w[0]  # noqa: E731
    offsets, values = loss_surface_and_sgd.slice_of_loss(f, w, (first, second), 2.0, n=3)
    np.testing.assert_allclose(offsets, [-2, 0, 2])
    np.testing.assert_allclose(values, 100 + offsets + 10 * offsets[:, None])


def test_distance_grows_as_the_largest_curvature_says(loss_surface_and_sgd):
    assert loss_surface_and_sgd.slope_left < 1e-6
    for share in (0.9, 1.1):
        distances = np.array(loss_surface_and_sgd.walks[share][0])
        np.testing.assert_allclose(distances[1:11] / distances[:10], abs(1 - 2 * share), rtol=0.01)


def test_noise_falls_with_the_square_root_of_the_batch(loss_surface_and_sgd):
    assert loss_surface_and_sgd.slope == pytest.approx(-0.5, abs=0.02)
    assert np.all(loss_surface_and_sgd.noise[False][5:] < loss_surface_and_sgd.noise[True][5:])


def test_race_counts_steps_and_examples(loss_surface_and_sgd):
    steps, examples, seconds, curve = loss_surface_and_sgd.race(16, 0.8, target=1.0, most_steps=400)
    assert steps == curve[-1, 0] and examples == 16 * steps and seconds > 0
    assert curve[-1, 1] < 1.0 <= curve[:-1, 1].min()
    assert np.all(np.diff(curve[:, 0]) == 4)
    few, everything = (loss_surface_and_sgd.races[size] for size in (1, 1797))
    assert few[0] > 4 * everything[0] and few[1] < everything[1] / 4


# benchmarks


@pytest.mark.benchmark(group="Hessian-vector product, 200,000 weights, batch 64, float32")
@pytest.mark.parametrize("implementation", ["two gradients", "torch, explicit", "torch, library"])
def test_hessian_vector_product_speed(loss_surface_and_sgd, timed, device, implementation):
    torch.manual_seed(0)
    x, y = torch.randn(64, 256).to(device), torch.randint(10, (64,)).to(device)
    shapes = ((512, 256), (128, 512), (10, 128))
    sizes = [a * b for a, b in shapes]
    w, v = (0.05 * torch.randn(2, sum(sizes))).to(device)

    def loss(w):
        first, second, third = (part.reshape(shape) for part, shape in zip(w.split(sizes), shapes))
        return F.cross_entropy(torch.tanh(torch.tanh(x @ first.T) @ second.T) @ third.T, y)

    m = loss_surface_and_sgd
    function = {
        "two gradients": lambda: m.nudged_product(loss, w, v, 1e-2),
        "torch, explicit": lambda: m.hessian_vector_product(loss, w, v),
        "torch, library": lambda: torch.autograd.functional.vhp(loss, w, v)[1],
    }[implementation]
    product = timed(function, flops=2 * 6 * 64 * sum(sizes))  # every row: the work of two gradients
    expected = m.hessian_vector_product(loss, w, v)
    torch.testing.assert_close(product, expected, rtol=2e-2, atol=1e-2 * expected.abs().max().item())
