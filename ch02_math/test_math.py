"""Chapter 2: what the lessons computed, and how fast their kernels are."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def scalars_to_tensors(lesson):
    return lesson("scalars_to_tensors")


@pytest.fixture
def tensor_operations(lesson):
    return lesson("tensor_operations")


@pytest.fixture
def derivatives(lesson):
    return lesson("derivatives")


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
    with pytest.raises(ValueError, match="argument 2"):
        scalars_to_tensors.combine([1, 2], [[1, 2], [3]])
    with pytest.raises(ValueError, match="argument 2"):
        scalars_to_tensors.apply([[1, 2], [3]], [1])


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


# 2.2 tensor_operations

SIZES = [(1, 1, 1), (1, 7, 1), (5, 1, 3), (2, 3, 11), (17, 16, 15)]  # (n, m, p)


@pytest.mark.parametrize("seed", range(3))
def test_broadcast_shape_matches_torch(tensor_operations, seed):
    rng = np.random.default_rng(seed)
    for _ in range(300):
        a, b = (tuple(rng.choice([1, 1, 2, 5], size=rng.integers(0, 6)).tolist()) for _ in range(2))
        try:
            expected = tuple(torch.broadcast_shapes(a, b))
        except RuntimeError:
            with pytest.raises(ValueError, match="do not broadcast"):
                tensor_operations.broadcast_shape(a, b)
        else:
            assert tensor_operations.broadcast_shape(a, b) == expected


def test_broadcast_shape_names_both_shapes(tensor_operations):
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2,\)"):
        tensor_operations.broadcast_shape((2, 3), (2,))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("way", ["dot_products", "column_mix", "outer_sum", "blocked"])
def test_product_matches_torch(tensor_operations, way, sizes):
    n, m, p = sizes
    rng = np.random.default_rng(n + m + p)
    a, b = rng.normal(size=(n, m)), rng.normal(size=(m, p))
    more = (4,) if way == "blocked" else ()
    ours = getattr(tensor_operations, way)(a, b, *more)
    np.testing.assert_allclose(ours, torch.from_numpy(a) @ torch.from_numpy(b), rtol=1e-10, atol=1e-12)
    loops = tensor_operations.three_loops(a.tolist(), b.tolist())
    np.testing.assert_allclose(loops, torch.from_numpy(a) @ torch.from_numpy(b), rtol=1e-10, atol=1e-12)


def test_product_names_the_shapes(tensor_operations):
    with pytest.raises(ValueError, match="2 numbers .* 3"):
        tensor_operations.three_loops([[1, 2]], [[1], [2], [3]])
    with pytest.raises(ValueError):
        tensor_operations.outer_sum(np.ones((2, 3)), np.ones((2, 3)))


def test_blocks_are_no_larger_than_asked(tensor_operations, monkeypatch):
    class Watched(np.ndarray):
        seen = set()

        def __matmul__(self, other):
            self.seen.add((*self.shape, *other.shape))
            return np.asarray(self) @ np.asarray(other)

    a, b = np.ones((5, 9)).view(Watched), np.ones((9, 4)).view(Watched)
    assert np.all(tensor_operations.blocked(a, b, 4) == 9)
    assert Watched.seen == set(itertools.product((4, 1), (4, 1), (4, 1), (4,))) & {
        (n, m, m, 4) for n in (4, 1) for m in (4, 1)
    }


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4), (2, 1, 5), (2, 3, 4, 5)])
def test_strides_match_torch(tensor_operations, shape):
    strides = tensor_operations.row_major_strides(shape)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert strides == tensor.stride()
    for index in np.ndindex(shape):
        assert tensor_operations.read(tensor.flatten(), strides, index) == tensor[index]
    with pytest.raises(ValueError):
        tensor_operations.read(tensor.flatten(), strides, (0,) * (len(shape) + 1))


def test_mean_squared_error_matches_torch(tensor_operations):
    predictions, targets = np.random.default_rng(0).normal(size=(2, 7, 3))
    expected = F.mse_loss(torch.from_numpy(predictions), torch.from_numpy(targets))
    np.testing.assert_allclose(
        tensor_operations.mean_squared_error(predictions, targets), expected, rtol=1e-12
    )
    with pytest.raises(ValueError, match=r"\(7, 1\).*\(7,\)"):
        tensor_operations.mean_squared_error(np.ones((7, 1)), np.ones(7))


def test_the_trap_averages_over_all_pairs(tensor_operations):
    spread = tensor_operations.targets.var()
    assert np.mean(tensor_operations.trapped**2) == pytest.approx(2 * spread)


def test_walks_add_everything_once(tensor_operations):
    matrix = np.random.default_rng(0).normal(size=(7, 11))
    assert tensor_operations.row_by_row(matrix) == pytest.approx(matrix.sum())
    assert tensor_operations.column_by_column(matrix) == pytest.approx(matrix.sum())


def test_median_seconds_skips_the_warm_up_and_takes_turns(tensor_operations, monkeypatch):
    clock, order = [0.0], []
    durations = {"slow": iter([100, 5, 1, 3]), "fast": iter([50, 1, 9, 2])}

    def task(name):
        order.append(name)
        clock[0] += next(durations[name])

    monkeypatch.setattr(tensor_operations, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    tasks = {name: lambda name=name: task(name) for name in durations}
    assert tensor_operations.median_seconds(tasks, rounds=3) == {"slow": 3, "fast": 2}
    assert order == ["slow", "fast"] * 4


def test_ladder_has_every_way(tensor_operations):
    ways = {"three_loops", "dot_products", "column_mix", "outer_sum", "@"}
    assert {way for way, _ in tensor_operations.ladder} == ways
    assert all(speed > 0 for speed in tensor_operations.ladder.values())


# 2.3 derivatives

DUALS = {
    "add": lambda x, f: x + x + 3,
    "number plus": lambda x, f: 3 + x * x,
    "subtract": lambda x, f: x * x - x,
    "number minus": lambda x, f: 3 - x,
    "minus number": lambda x, f: x - 3,
    "number times": lambda x, f: 3 * x,
    "divide": lambda x, f: (x + 1) / (x * x + 2),
    "number over": lambda x, f: 3 / x,
    "over number": lambda x, f: x / 3,
    "power": lambda x, f: x**5 + x**1,
    "negative power": lambda x, f: x**-2,
    "zeroth power": lambda x, f: x**0 + x,
    "exp": lambda x, f: f.exp(x * x),
    "log": lambda x, f: f.log(x * x) * x,
    "sin": lambda x, f: f.sin(x * x),
    "constant": lambda x, f: x * 0 + 7,
}


@pytest.mark.parametrize("name", DUALS)
@pytest.mark.parametrize("x", [0.3, 1.0, 2.7])
def test_dual_matches_autograd(derivatives, name, x):
    ours = DUALS[name](derivatives.Dual(x, 1.0), derivatives)
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    theirs = DUALS[name](tensor, torch)
    theirs.backward()
    np.testing.assert_allclose([ours.value, ours.slope], [theirs.item(), tensor.grad], rtol=1e-12, atol=1e-14)


def test_dual_scales_with_the_slope_it_was_given(derivatives):
    for f in DUALS.values():
        one, five = (f(derivatives.Dual(0.7, slope), derivatives) for slope in (1.0, 5.0))
        assert five.slope == pytest.approx(5 * one.slope)


def test_derivative_of_what_does_not_depend_on_x_is_zero(derivatives):
    assert derivatives.derivative(lambda x: 4.0, 2.0) == 0
    assert derivatives.derivative(lambda x: x**0, 0.0) == 0
    assert derivatives.derivative(lambda x: derivatives.exp(1.0) * x, 0.0) == pytest.approx(math.e)


def test_dual_shows_both_numbers(derivatives):
    assert repr(derivatives.Dual(2.0, 3.0)) == "Dual(2.0, slope=3.0)"


def test_differences_match_autograd(derivatives):
    x = np.random.default_rng(0).normal(size=7)
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch.autograd.grad(torch.sin(tensor * tensor).sum(), tensor)[0]

    def f(x):
        return np.sin(x * x)

    np.testing.assert_allclose(derivatives.central_difference(f, x), expected, rtol=1e-8)
    np.testing.assert_allclose(derivatives.forward_difference(f, x, 1e-8), expected, rtol=1e-5, atol=1e-6)
    # exact where theory says so: both sides for a parabola, one side off by h
    assert derivatives.central_difference(lambda x: x * x, 3.0, 0.5) == 6
    assert derivatives.forward_difference(lambda x: x * x, 3.0, 0.5) == 6.5


def test_the_best_step_is_where_theory_puts_it(derivatives):
    assert len(derivatives.best) == 3
    for measured, theory in derivatives.best.values():
        assert 1 / 6 < measured / theory < 6
    assert derivatives.at(1e-5) == 36


def test_level_ground_is_found_by_autograd(derivatives):
    x = torch.tensor(derivatives.level, requires_grad=True)
    height = torch.sin(x) + 0.3 * torch.sin(3 * x) + 0.1 * x
    np.testing.assert_allclose(derivatives.hills(derivatives.level), height.detach(), rtol=1e-12)
    assert torch.autograd.grad(height.sum(), x)[0].abs().max() < 0.1  # within a step of the grid


@pytest.mark.parametrize("a", [0.5, 2.0, 9.0])
def test_heron_differentiates_the_root(derivatives, a):
    root = derivatives.heron(derivatives.Dual(a, 1.0), n_steps=8)
    np.testing.assert_allclose([root.value, root.slope], [a**0.5, 0.5 / a**0.5], rtol=1e-12)
    assert derivatives.heron(2.0, n_steps=1) == 1.5


# benchmarks


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "size, implementation",
    [
        (64, "loops"),
        (64, "numpy"),
        *itertools.product((64, 256, 1024, 2048), ("numpy, fast", "torch, library")),
    ],
)
def test_matrix_product_speed(tensor_operations, timed, device, benchmark, size, implementation):
    benchmark.group = f"matrix product, {size} x {size}, float32"
    if implementation != "torch, library" and device.type != "cpu":
        pytest.skip("NumPy and plain Python run on the CPU only")
    a, b = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
    flops = 2 * size**3
    if implementation == "loops":
        out = timed(tensor_operations.three_loops, a.tolist(), b.tolist(), flops=flops)
    elif implementation == "numpy":
        out = timed(tensor_operations.dot_products, a, b, flops=flops)
    elif implementation == "numpy, fast":
        out = timed(np.matmul, a, b, flops=flops)
    else:
        x, y = torch.tensor(a, device=device), torch.tensor(b, device=device)
        out = timed(torch.matmul, x, y, flops=flops).cpu()
    np.testing.assert_allclose(out, a @ b, rtol=1e-3, atol=1e-3)  # float32: sums of up to 2048 terms


@pytest.mark.benchmark
@pytest.mark.parametrize("implementation", ["numpy", "torch, library"])
@pytest.mark.parametrize("kernel", ["broadcasting add", "row sum"])
def test_memory_bound_speed(timed, device, benchmark, kernel, implementation):
    benchmark.group = f"{kernel}, 8192 x 2048, float32"
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    matrix, row = rng.random((8192, 2048), dtype=np.float32), rng.random(2048, dtype=np.float32)
    if implementation == "numpy":
        x, y, out = matrix, row, np.empty_like(matrix)
    else:
        x, y = torch.tensor(matrix, device=device), torch.tensor(row, device=device)
        out = torch.empty_like(x)
    if kernel == "row sum":
        bytes_moved, expected = matrix.nbytes + 4 * 8192, matrix.sum(axis=1)
        out = timed(x.sum, 1, bytes=bytes_moved)
    else:
        bytes_moved, expected = 2 * matrix.nbytes + row.nbytes, matrix + row
        add = np.add if implementation == "numpy" else torch.add
        timed(lambda: add(x, y, out=out), bytes=bytes_moved)
    result = out if implementation == "numpy" else out.cpu()
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.benchmark(group="sum of all entries, 2048 x 2048 row-major, float32")
@pytest.mark.parametrize("implementation", ["numpy", "torch, library"])
@pytest.mark.parametrize("walk", ["row_by_row", "column_by_column"])
def test_traversal_speed(tensor_operations, timed, device, walk, implementation):
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    matrix = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    x = matrix if implementation == "numpy" else torch.tensor(matrix, device=device)
    total = timed(getattr(tensor_operations, walk), x, bytes=matrix.nbytes)
    assert float(total) == pytest.approx(matrix.sum(dtype=np.float64), rel=1e-5)
