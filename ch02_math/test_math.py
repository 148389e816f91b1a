"""Chapter 2: what the lessons computed, and how fast their kernels are."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "scalars_to_tensors": [
        {
            "change": {
                "scaled = deviations / np.abs(deviations).max(axis=0)": "scaled = "
                "deviations / np.array([1, 1, 1, 1000])"
            },
            "figure": 5,
            "prints": "distance                   87.1%       96.5%",
        },
        {
            "change": {
                '"shear": np.array([[1.0, 1.0], [0.0, 1.0]]),': '"mirror": '
                "np.array([[0.0, 1.0], [1.0, 0.0]]),"
            },
            "figure": 4,
            "prints": "[0.0, 1.0]      [1.0, 0.0]      [2.0, 3.0]",
        },
        {
            "add": """species_means = np.array([scaled[labels == k].mean(axis=0) for k in range(3)])  # (3, 4)
unit_means = species_means / np.linalg.norm(species_means, axis=1, keepdims=True)  # (3, 4)
to_means = scaled @ unit_means.T  # (n, 4) @ (4, 3) -> (n, 3): cosines times the length of each bird
print(f"{np.mean(to_means.argmax(axis=1) == labels):.1%} are most similar to their own species")
""",
            "prints": "are most similar to their own species",
        },
    ],
    "tensor_operations": [
        {
            "change": {"column = np.array([[0], [10], [20]])  # (3, 1)": "column = np.array([0, 10, 20])"},
            "raises": "could not be broadcast",
        },
        {
            "change": {
                "big = rng.normal(size=(2048, 2048))": "big = "
                "np.asfortranarray(rng.normal(size=(2048, 2048)))"
            },
            "prints": "column_by_column",
        },
        {
            "add": """photos = np.stack([photo, photo[::-1]])  # (2, H, W, 3)
channel_means = np.einsum("bhwc->bc", photos) / (photos.shape[1] * photos.shape[2])  # (2, 3)
print(f"the same means: {np.allclose(channel_means, photos.mean(axis=(1, 2)))}")
""",
            "prints": "the same means: True",
        },
    ],
    "numpy_to_pytorch": [
        {
            "change": {"        point.grad = None\n": ""},
            "prints": " and 0.8565",
            "raises": "on the parabola every bit agrees",
        },
        {
            "change": {"        path.append(point.detach().clone())": "        path.append(point.detach())"},
            "figure": 2,
            "raises": "on the parabola every bit agrees",
        },
        {
            "add": """parameters = torch.zeros(2, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.SGD([parameters], lr=0.1)
for _ in range(60):
    optimizer.zero_grad()
    mse(parameters).backward()
    optimizer.step()
print(f"largest difference {np.abs(parameters.detach().numpy() - line_path[-1]).max():.0e}")
assert np.allclose(parameters.detach().numpy(), line_path[-1])
""",
            "prints": "largest difference ",
        },
    ],
    "statistics_and_probability": [
        {
            "change": {"sizes = (2, 5, 10, 20, 50)": "sizes = (2, 5, 10, 20, 1600)"},
            "figure": 4,
            "prints": "1600 ",
        },
        {
            "change": {
                "flipper_prior = np.bincount(labels[fitted]) / len(fitted)": "flipper_prior = "
                "np.full(3, 1 / 3)"
            },
            "figure": 5,
            "raises": "with the prior, Adélie and chinstrap cross further to the right",
        },
        {
            "add": """def loaded_sums(n_dice):
    faces = [0.1, 0.1, 0.1, 0.1, 0.1, 0.5]
    probabilities = np.ones(1)
    for _ in range(n_dice):
        probabilities = np.convolve(probabilities, faces)
    return np.arange(n_dice, 6 * n_dice + 1), probabilities


n_dice = 0
gap = 1.0
while gap >= 0.02:
    n_dice += 1
    sums, probabilities = loaded_sums(n_dice)
    expectation = sums @ probabilities
    curve = normal_density(sums, expectation, math.sqrt((sums - expectation) ** 2 @ probabilities))
    gap = np.abs(probabilities - curve).max() / curve.max()
print(f"{n_dice} loaded dice")
""",
            "prints": "83 loaded dice",
        },
    ],
    "derivatives": [
        {
            "change": {"place = 0.5": "place = 0.0"},
            "figure": 1,
            "prints": "window ±0.1     largest gap 1.7e-04",
            "raises": "a tenth of the window has a hundredth of the gap",
        },
        {
            "change": {
                "rng.uniform(0.0, 2.0, size=500)": "rng.uniform(100, 102, size=500)",
                "measure(np.exp, places": "measure(np.sin, places",
                "exact = np.exp(places)": "exact = np.cos(places)",
            },
            "figure": 5,
            "prints": "both sides, float64          2e-05",
        },
        {
            "add": """def tanh(x):
    x = lift(x)
    value = math.tanh(x.value)
    return Dual(value, (1 - value * value) * x.slope)


by_rule = 1 - math.tanh(0.5) ** 2
from_exp = derivative(lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)), 0.5)
print(f"{derivative(tanh, 0.5):.12f} {from_exp:.12f} {by_rule:.12f}")
""",
            "prints": "0.786447732966 0.786447732966 0.786447732966",
        },
    ],
    "gradients": [
        {
            "change": {"guess = np.array([0.0, 4.5])": "guess = np.array([1.0, 3.0])"},
            "figure": 3,
            "prints": "slope along w 1.74",
        },
        {
            "change": {
                "flipper = measurements[:, 0] / 10 - 19": "flipper = "
                "(measurements[:, 0] - measurements[:, 0].mean()) / 10"
            },
            "figure": 3,
        },
        {
            "add": """points = [guess]
for _ in range(20):
    points.append(points[-1] - 0.1 * gradient(penguin_loss, points[-1]))
points = np.array(points)  # (21, 2)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
draw_map(ax)
ax.plot(points[:, 0], points[:, 1], "o-", color="C1", markersize=3)
plt.show()
print(f"the last point is {points[-1].round(2)}, the lowest is {lowest.round(2)}")
""",
            "figure": 6,
            "prints": "the last point is [0.46 3.75], the lowest is [0.5  3.66]",
        },
    ],
    "gradient_descent": [
        {
            "change": {'"large": 0.9,': '"three quarters": 0.75, "large": 0.9,'},
            "figure": 1,
            "prints": "three quarters              0.75       -0.50",
        },
        {
            "change": {
                "ends = descend(two_valleys_slope, starts, 0.1, n_steps=300)": "ends = "
                "descend(two_valleys_slope, starts, 0.8, n_steps=300)"
            },
            "figure": 3,
            "raises": "one watershed parts the starts",
        },
        {
            "add": """with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    rows = [row for row in csv.DictReader(file) if row["bill_length_mm"] != "NA"]
bill = np.array([float(row["bill_length_mm"]) for row in rows]) / 10 - 4.4  # (n,): centimetres beyond 4.4
bill_mass = np.array([float(row["body_mass_g"]) for row in rows]) / 1000  # (n,)
bill_path = fit(bill, bill_mass, guess, learning_rate=0.5)
bill_columns = np.stack([bill, np.ones(len(bill))], axis=1)  # (n, 2)
by_algebra = np.linalg.lstsq(bill_columns, bill_mass)[0]  # (2,)
print(f"{len(bill_path) - 1} steps to {bill_path[-1].round(3)}, least squares {by_algebra.round(3)}")
""",
            "prints": "steps to [0.874 4.209], least squares [0.874 4.209]",
        },
    ],
    "curvature": [
        {
            "change": {
                "return (3 * x * x + 2 * x * y + 3 * y * y) / 2": "return "
                "(3 * x * x + 8 * x * y + 3 * y * y) / 2"
            },
            "figure": 1,
            "prints": "[4. 3.]]",
            "raises": "the measured Hessian is the one on paper",
        },
        {
            "change": {
                "flipper = measurements[:, 0] / 10 - 19": "flipper = "
                "measurements[:, 0] / 10 - (measurements[:, 0] / 10).mean()"
            },
            "figure": 2,
            "raises": "the limit lies where lesson 2.5 found it",
        },
        {
            "add": """for third in (1, 3, 50, 99, 100):
    n_steps = steps_to(1e-6, [1, third, 100], 2 / 101)
    print(f"curvatures 1, {third}, 100: {n_steps} steps, without it {steps_by_kappa[100]}")
""",
            "prints": "curvatures 1, 50, 100: 691 steps, without it 691",
        },
    ],
}


@pytest.fixture
def scalars_to_tensors(lesson):
    return lesson("scalars_to_tensors")


@pytest.fixture
def tensor_operations(lesson):
    return lesson("tensor_operations")


@pytest.fixture
def derivatives(lesson):
    return lesson("derivatives")


@pytest.fixture
def gradients(lesson):
    return lesson("gradients")


@pytest.fixture
def gradient_descent(lesson):
    return lesson("gradient_descent")


@pytest.fixture
def curvature(lesson):
    return lesson("curvature")


@pytest.fixture
def numpy_to_pytorch(lesson):
    return lesson("numpy_to_pytorch")


@pytest.fixture
def statistics_and_probability(lesson):
    return lesson("statistics_and_probability")


# photos of one's own


@pytest.mark.parametrize("lesson_name", ["scalars_to_tensors", "tensor_operations", "numpy_to_pytorch"])
@pytest.mark.parametrize("kind, file", [("RGB", "a.png"), ("RGBA", "a.png"), ("L", "a.png"), ("L", "a.jpg")])
def test_another_kind_of_photo_is_named(tmp_path, kind, file, lesson_name):
    text = Path(__file__).with_name(f"{lesson_name}.py").read_text(encoding="utf-8")
    cell = next(cell for cell in text.split("# %%\n") if "coffee.jpg" in cell)
    shape = (6, 7, len(kind))[: 2 if kind == "L" else 3]
    pixels = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / file)
    photo = plt.imread(tmp_path / file)
    with pytest.raises(ValueError, match=r"8-bit RGB picture, got \w+ \(6, 7"):
        exec(cell, {"np": np, "HERE": tmp_path, "plt": SimpleNamespace(imread=lambda path: photo)})
    if kind != "L":  # what 2.1 recommends
        np.testing.assert_array_equal((255 * photo[..., :3]).astype(np.uint8), pixels[..., :3])


# 2.1 scalars_to_tensors


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_vectors_match_torch(scalars_to_tensors, n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    u, v = torch.from_numpy(a), torch.from_numpy(b)
    cosine = torch.cosine_similarity(u, v, dim=0)
    ours = [
        scalars_to_tensors.dot(a, b),
        scalars_to_tensors.norm(a),
        scalars_to_tensors.cosine(a, b),
        scalars_to_tensors.angle(a, b),
        *scalars_to_tensors.projection(a, b),
    ]
    theirs = [u @ v, u.norm(), cosine, torch.rad2deg(torch.acos(cosine)), *(u @ v / (v @ v) * v)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-6 if n == 1 else 1e-12)


def test_whole_numbers_do_not_overflow(scalars_to_tensors):
    a = np.array([200, 100], dtype=np.uint8)
    assert scalars_to_tensors.dot(a, a) == 50_000
    assert scalars_to_tensors.norm(np.array([30, 40], dtype=np.int8)) == 50
    assert scalars_to_tensors.linear_combination(a, [[2, 0], [0, 3]]) == [400, 300]
    assert a.tolist() == [200, 100]


def test_angle_survives_rounding(scalars_to_tensors):
    for a in np.random.default_rng(0).normal(size=(50, 3)):
        assert scalars_to_tensors.angle(a, a) == pytest.approx(0, abs=1e-5)
        assert scalars_to_tensors.angle(a, -3 * a) == pytest.approx(180, abs=1e-5)


def test_projection_leaves_a_perpendicular_rest(scalars_to_tensors):
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    rest = a - scalars_to_tensors.projection(a, b)
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
def test_matrix_vector_matches_torch(scalars_to_tensors, m, n):
    rng = np.random.default_rng(m * n)
    matrix, x = rng.normal(size=(m, n)), rng.normal(size=n)
    theirs = torch.from_numpy(matrix) @ torch.from_numpy(x)
    for layout in (matrix, np.asfortranarray(matrix), matrix.tolist()):
        for by in (scalars_to_tensors.matrix_vector, scalars_to_tensors.matrix_vector_by_rows):
            np.testing.assert_allclose(by(layout, x), theirs, rtol=1e-10, atol=1e-12)
    by_columns = scalars_to_tensors.linear_combination(x, matrix.T)
    np.testing.assert_allclose(by_columns, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("m, n, hidden", [(1, 1, 1), (4, 7, 2), (7, 4, 3), (5, 5, 5), (3, 2, 0)])
def test_rank_matches_torch(scalars_to_tensors, m, n, hidden):
    rng = np.random.default_rng(n)
    matrix = rng.normal(size=(m, hidden)) @ rng.normal(size=(hidden, n)) * 1e-4
    assert scalars_to_tensors.rank(matrix) == torch.linalg.matrix_rank(torch.from_numpy(matrix)) == hidden


def test_bad_vectors_are_named(scalars_to_tensors):
    with pytest.raises(ValueError, match="2 and 3"):
        scalars_to_tensors.dot([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="1 amounts for 2"):
        scalars_to_tensors.linear_combination([1], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="zero"):
        scalars_to_tensors.cosine([0, 0], [1, 2])
    with pytest.raises(ValueError, match="zero"):
        scalars_to_tensors.projection([1, 2], [0, 0])
    with pytest.raises(ValueError, match="argument 2"):
        scalars_to_tensors.linear_combination([1, 2], [[1, 2], [3]])
    with pytest.raises(ValueError, match="argument 2"):
        scalars_to_tensors.matrix_vector([[1, 2], [3]], [1])


def test_the_most_similar_bird_is_mostly_of_the_same_species(scalars_to_tensors):
    labels = torch.from_numpy(scalars_to_tensors.labels)
    expected = {"distance": [], "cosine": []}
    for vectors in (scalars_to_tensors.deviations, scalars_to_tensors.scaled):
        rows = torch.from_numpy(vectors)
        unit = F.normalize(rows, dim=1)
        for name, likeness in (("distance", -torch.cdist(rows, rows)), ("cosine", unit @ unit.T)):
            closest = likeness.fill_diagonal_(-torch.inf).argmax(dim=1)
            expected[name].append((labels[closest] == labels).double().mean().item())
    for name, shares in scalars_to_tensors.likeness_shares.items():
        np.testing.assert_allclose(shares, expected[name], atol=0.004)  # ties may fall otherwise: one bird
    (raw_distance, distance), (raw_cosine, cosine) = expected.values()
    assert distance > raw_distance + 0.05 and raw_cosine > raw_distance + 0.05 and cosine > 0.93


def test_the_mass_makes_up_the_length(scalars_to_tensors):
    variances = torch.from_numpy(scalars_to_tensors.measurements).var(dim=0, correction=0)
    assert scalars_to_tensors.mass_share == pytest.approx((variances[3] / variances.sum()).item())
    assert scalars_to_tensors.mass_share > 0.99


def test_the_photo_mixes_into_gray(scalars_to_tensors):
    mixed = torch.tensor(scalars_to_tensors.photo, dtype=torch.float64) @ torch.from_numpy(
        scalars_to_tensors.weights
    )
    np.testing.assert_allclose(scalars_to_tensors.gray, mixed, rtol=1e-10)
    assert math.isclose(sum(scalars_to_tensors.weights), 1)
    means = scalars_to_tensors.photo.mean(axis=(0, 1))
    assert scalars_to_tensors.gray.mean() == pytest.approx(means @ scalars_to_tensors.weights)


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
@pytest.mark.parametrize("way", ["dot_products", "column_mix", "outer_sum", "row_blocks"])
def test_product_matches_torch(tensor_operations, way, sizes):
    n, m, p = sizes
    rng = np.random.default_rng(n + m + p)
    a, b = rng.normal(size=(n, m)), rng.normal(size=(m, p))
    more = (4,) if way == "row_blocks" else ()
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
    rows = []

    def watched(a, b):
        rows.append(len(a))
        return a @ b

    monkeypatch.setattr(tensor_operations, "column_mix", watched)
    out = tensor_operations.row_blocks(np.ones((9, 5)), np.ones((5, 3)), 4)
    assert np.all(out == 5) and out.shape == (9, 3) and rows == [4, 4, 1]


def test_products_take_any_layout_and_whole_numbers(tensor_operations):
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    for way in (tensor_operations.dot_products, tensor_operations.column_mix, tensor_operations.outer_sum):
        for left in (a, np.asfortranarray(a), a[::-1][::-1]):
            assert way(left, np.asfortranarray(b)).tolist() == (a @ b).tolist()
    assert tensor_operations.three_loops(a.tolist(), b.tolist()) == (a @ b).tolist()


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


def test_every_way_has_a_speed(tensor_operations):
    ways = {"three_loops", "dot_products", "column_mix", "outer_sum", "@"}
    assert set(tensor_operations.speeds) == {64, 256}
    assert set(tensor_operations.speeds[64]) == ways
    assert set(tensor_operations.speeds[256]) == ways - {"three_loops"}
    assert all(speed > 0 for speeds in tensor_operations.speeds.values() for speed in speeds.values())
    assert tensor_operations.speeds[64]["@"] > 20 * tensor_operations.speeds[64]["three_loops"]


def test_views_and_copies_are_as_the_lesson_says(tensor_operations):
    x = torch.arange(12).reshape(3, 4)
    assert x.T.data_ptr() == x.data_ptr() and not x.T.is_contiguous()
    assert x.T.reshape(12).data_ptr() != x.data_ptr()  # torch has to copy, too
    assert tensor_operations.flat.tolist() == x.T.reshape(12).tolist()
    assert tensor_operations.memory[8] == -1 and tensor_operations.table[2, 0] == -1


def test_outcome_lets_other_errors_through(tensor_operations):
    assert tensor_operations.outcome(np.broadcast_shapes, (2,), (3,)) == "refused"
    with pytest.raises(TypeError):
        tensor_operations.outcome(np.broadcast_shapes, "no shape", (3,))


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
    both, one = derivatives.errors["both sides, float64"], derivatives.errors["one side, float64"]
    at = {h: int(np.abs(np.log(derivatives.steps / h)).argmin()) for h in (1e-2, 1e-3, 1e-5)}
    assert derivatives.steps[at[1e-5]] == pytest.approx(1e-5) and both[at[1e-5]] < 1e-9
    assert 8 < one[at[1e-2]] / one[at[1e-3]] < 12  # the error falls like h
    assert 80 < both[at[1e-2]] / both[at[1e-3]] < 120  # like the square of h


def test_a_step_that_fits_the_size_is_better(derivatives):
    fixed, fitted = np.array(list(derivatives.size_errors.values())).T
    assert len(fixed) == 3 and fixed[0] == fitted[0] and max(fitted) < 1e-8
    assert min(fixed[1:] / fitted[1:]) > 1000


@pytest.mark.parametrize("x", [0.4, 1.7, 2.9])
def test_the_rules_match_autograd(derivatives, x):
    """What the table of rules says of each function, at places of the test's own."""
    functions = {
        "sin x / x²": (lambda x: torch.sin(x) / x**2, math.cos(x) / x**2 - 2 * math.sin(x) / x**3),
        "tanh x": (torch.tanh, 1 - math.tanh(x) ** 2),
        "log x": (torch.log, 1 / x),
        "x⁻²": (lambda x: x**-2, -2 * x**-3),
    }
    for name, (f, by_rule) in functions.items():
        place = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        f(place).backward()
        assert place.grad.item() == pytest.approx(by_rule, rel=1e-12)
        measured = derivatives.central_difference(derivatives.examples[name][0], x)
        assert measured == pytest.approx(by_rule, rel=1e-7)
    assert derivatives.central_difference(lambda x: x * x, 3) == pytest.approx(6, rel=1e-9)  # whole number


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


# 2.4 gradients


def wavy(point, f=np):
    """A function of three numbers, for arrays and tensors alike."""
    return f.sin(point[0] * point[1]) + point[2] * point[2] * point[0] + f.exp(0.3 * point[1])


@pytest.mark.parametrize("seed", range(4))
def test_gradient_matches_autograd(gradients, seed):
    place, direction = np.random.default_rng(seed).normal(size=(2, 3))
    tensor = torch.from_numpy(place)
    expected = torch.func.grad(lambda p: wavy(p, torch))(tensor)
    np.testing.assert_allclose(gradients.gradient(wavy, place), expected, rtol=1e-7, atol=1e-8)
    for axis in range(3):
        assert gradients.partial(wavy, place, axis) == pytest.approx(expected[axis].item(), abs=1e-7)
    along = expected @ torch.from_numpy(direction / np.linalg.norm(direction))
    assert gradients.directional(wavy, place, direction) == pytest.approx(along.item(), abs=1e-7)


def test_gradients_of_whole_numbers_are_right(gradients):
    """A list or an array of whole numbers is a point like any other, and stays as it is."""
    point = np.array([1, 2, 3])
    expected = gradients.gradient(wavy, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(gradients.gradient(wavy, point), expected, rtol=1e-12)
    assert gradients.partial(wavy, point, 2) == pytest.approx(6, rel=1e-8)
    assert gradients.directional(wavy, point, [0, 0, 2]) == pytest.approx(6, rel=1e-8)
    assert point.tolist() == [1, 2, 3]


def test_the_paper_functions_are_what_they_say(gradients):
    assert gradients.one_bird_loss(np.array([1.0, 1.0])) == 4
    assert gradients.one_bird_loss(np.array([0.5, -2.0])) == 36


def test_the_map_is_the_loss(gradients):
    flipper, mass = torch.from_numpy(gradients.flipper), torch.from_numpy(gradients.mass)
    assert len(mass) == 342
    assert 17 < flipper.min() + 19 < flipper.max() + 19 < 24
    assert 2.5 < mass.min() < mass.max() < 6.5
    assert gradients.heights.shape == (len(gradients.bs), len(gradients.ws))
    for i, j in ((0, 0), (7, 60), (-1, 3), (40, 20)):
        line = gradients.ws[j] * flipper + gradients.bs[i]
        expected = torch.nn.functional.mse_loss(line, mass).item()
        assert gradients.heights[i, j] == pytest.approx(expected, rel=1e-10)
    assert gradients.penguin_loss(gradients.lowest) < gradients.heights.min()


def test_the_three_lines_are_as_wrong_as_the_text_says(gradients):
    flat, steep, by_eye = (gradients.penguin_loss(choice) for choice in gradients.choices.values())
    assert by_eye < 0.3 * min(flat, steep) and abs(flat / steep - 1) < 0.15
    assert 0.6 < np.mean(gradients.flipper > 0) < 0.95


def test_direction_of_length_zero_is_named(gradients):
    with pytest.raises(ValueError, match="zero"):
        gradients.directional(wavy, np.zeros(3), np.zeros(3))


def test_the_gradient_is_the_steepest_of_360_directions(gradients):
    assert gradients.slopes.shape == (360,) and len(gradients.gaps) == 50 and max(gradients.gaps) <= 0.51
    flipper, mass = torch.from_numpy(gradients.flipper), torch.from_numpy(gradients.mass)
    expected = torch.func.grad(lambda p: ((p[0] * flipper + p[1] - mass) ** 2).mean())(
        torch.from_numpy(gradients.guess)
    )
    np.testing.assert_allclose(gradients.gradient_at_guess, expected, rtol=1e-10)
    np.testing.assert_allclose(gradients.by_cosine, gradients.directions @ expected.numpy(), atol=1e-10)
    assert gradients.slopes.max() == pytest.approx(expected.norm().item(), rel=1e-4)
    steepest = gradients.slopes.argmax()  # in whole degrees
    assert abs(steepest - gradients.angle_of(expected.numpy())) <= 0.51
    assert gradients.slopes.argmin() == (steepest + 180) % 360
    # the slopes have both signs on both sides of the contour's direction: level at a right angle
    level = (steepest + 90) % 360
    assert gradients.slopes[level - 2] > 0 > gradients.slopes[(level + 2) % 360]


@pytest.mark.parametrize(
    "vector, angle",
    [((2, 0), 0), ((1, 1), 45), ((0, 3), 90), ((-1, 0), 180), ((1, -1), 315), ((-1, -1), 225)],
)
def test_angles_are_counted_from_the_w_axis(gradients, vector, angle):
    assert gradients.angle_of(np.array(vector, dtype=float)) == pytest.approx(angle)


@pytest.mark.parametrize("n", [1, 7, 100])
def test_bird_gradients_match_autograd(gradients, n):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    parameters = np.array([0.7, -1.2])

    def one(parameters, x, y):
        return (parameters[0] * x + parameters[1] - y) ** 2

    inputs = torch.from_numpy(parameters), torch.from_numpy(x), torch.from_numpy(y)
    expected = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0, 0))(*inputs)
    np.testing.assert_allclose(gradients.bird_gradients(parameters, x, y), expected, rtol=1e-10, atol=1e-12)
    assert gradients.loss(parameters, x, y) == pytest.approx(one(*inputs).mean().item())


def test_larger_batches_point_the_wrong_way_less_often(gradients):
    wrong = gradients.wrong_way
    assert 0.15 < wrong[1] < 0.35
    assert wrong[1] > wrong[4] > wrong[16] and wrong[16] < 0.01 and wrong[64] == 0
    alone = gradients.gradient_per_bird @ gradients.gradient_at_guess  # (n, 2) @ (2,) -> (n,)
    assert abs(np.mean(alone < 0) - wrong[1]) < 4 * np.sqrt(0.25 * 0.75 / 500)


# 2.5 gradient_descent


@pytest.mark.parametrize("n_steps", [0, 1, 25])
def test_descend_matches_torch_sgd(gradient_descent, n_steps):
    rng = np.random.default_rng(n_steps)
    matrix, start = rng.normal(size=(3, 3)), rng.normal(size=3)
    hessian = matrix @ matrix.T
    path = gradient_descent.descend(lambda place: hessian @ place, start, 0.03, n_steps)
    place = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.SGD([place], lr=0.03)
    assert path.shape == (n_steps + 1, 3)
    for visited in path:
        np.testing.assert_allclose(visited, place.detach(), rtol=1e-10, atol=1e-12)
        optimizer.zero_grad()
        (place @ torch.from_numpy(hessian) @ place / 2).backward()
        optimizer.step()


def test_descend_takes_whole_numbers_and_keeps_nothing(gradient_descent):
    start = np.array([8, -4])
    path = gradient_descent.descend(gradient_descent.parabola_slope, start, 0.25, 3)
    assert path.tolist() == [[8, -4], [4, -2], [2, -1], [1, -0.5]]
    path[0] = 100
    assert start.tolist() == [8, -4]
    floats = np.array([8.0, -4.0])
    gradient_descent.descend(gradient_descent.parabola_slope, floats, 0.25, 3)[0] = 100
    assert floats.tolist() == [8, -4]


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9, 1.0, 1.05])
def test_each_step_multiplies_by_the_factor(gradient_descent, rate):
    path = gradient_descent.descend(gradient_descent.parabola_slope, 3.0, rate, 6)
    np.testing.assert_allclose(path[1:], (1 - 2 * rate) * path[:-1], rtol=1e-10, atol=1e-12)
    assert (abs(path[-1]) > 3) == (rate > 2 / gradient_descent.curvature)


def test_the_edge_is_at_two_over_the_curvature(gradient_descent):
    assert set(gradient_descent.edges) == {0.1, 2.0, 30.0}
    for below, above in gradient_descent.edges.values():
        np.testing.assert_allclose(below, (1 - 2e-6) ** 2000, rtol=1e-6)
        np.testing.assert_allclose(above, (1 + 2e-6) ** 2000, rtol=1e-6)


@pytest.mark.parametrize("name", ["parabola", "two_valleys"])
def test_slopes_of_the_landscapes_match_autograd(gradient_descent, name):
    x = torch.linspace(-2, 2, 7, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(getattr(gradient_descent, name)(x).sum(), x, create_graph=True)[0]
    ours = getattr(gradient_descent, f"{name}_slope")(x.detach().numpy())
    np.testing.assert_allclose(ours, slope.detach(), rtol=1e-10, atol=1e-12)
    if name == "two_valleys":
        bend = torch.autograd.grad(slope.sum(), x)[0]
        ours = gradient_descent.two_valleys_curvature(x.detach().numpy())
        np.testing.assert_allclose(ours, bend, rtol=1e-10, atol=1e-12)
    assert gradient_descent.parabola(3.0) == 9


def test_there_are_two_valleys_and_one_watershed(gradient_descent):
    roots = sorted(root.real for root in np.roots([1, 0, -1, 0.1]))
    np.testing.assert_allclose(gradient_descent.bottoms, [roots[0], roots[2]], atol=1e-5)
    assert abs(gradient_descent.watershed - roots[1]) < 0.02
    assert gradient_descent.two_valleys(1.0) == pytest.approx(-0.15)
    factors = [1 - 0.1 * (3 * root**2 - 1) for root in (roots[0], roots[2])]
    np.testing.assert_allclose(gradient_descent.measured_factors, factors, atol=0.01)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_line_loss_matches_autograd(gradient_descent, n):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    parameters = np.array([0.3, -1.1])

    def loss(parameters):
        return F.mse_loss(parameters[0] * torch.from_numpy(x) + parameters[1], torch.from_numpy(y))

    place = torch.tensor(parameters, requires_grad=True)
    assert gradient_descent.mse(parameters, x, y) == pytest.approx(loss(place).item())
    slope = torch.autograd.grad(loss(place), place)[0]
    np.testing.assert_allclose(gradient_descent.mse_gradient(parameters, x, y), slope, rtol=1e-10, atol=1e-12)


def test_fit_is_least_squares(gradient_descent):
    x = np.random.default_rng(0).normal(size=50)
    y = 2 * x - 1 + np.random.default_rng(1).normal(size=50)
    path = gradient_descent.fit(x, y, [0, 0], 0.4)
    table = torch.stack([torch.from_numpy(x), torch.ones(50, dtype=torch.float64)], dim=1)
    exact = torch.linalg.lstsq(table, torch.from_numpy(y)[:, None]).solution[:, 0]
    np.testing.assert_allclose(path[-1], exact, atol=1e-6)
    assert np.array_equal(path[0], [0, 0])
    lengths = [np.linalg.norm(gradient_descent.mse_gradient(place, x, y)) for place in path]
    assert lengths[-1] < 1e-6 <= min(lengths[:-1])
    # who starts at the end takes no step
    assert len(gradient_descent.fit(x, y, path[-1], 0.4)) == 1


def test_fit_names_the_fault(gradient_descent):
    flipper, y = gradient_descent.flipper, gradient_descent.mass
    x = (flipper - flipper.mean()) / flipper.std()  # curvature 2 in every direction, so the edge is at 1
    with pytest.raises(ValueError, match="diverges: stopped after 38 steps"):  # 1.2 ** 38 > 1000
        gradient_descent.fit(x, y, [0, 0], 1.1)
    with pytest.raises(ValueError, match="after 7 steps"):
        gradient_descent.fit(x, y, [0, 0], 0.01, max_steps=7)
    n_steps = len(gradient_descent.fit(x, y, [0, 0], 0.4)) - 1
    assert len(gradient_descent.fit(x, y, [0, 0], 0.4, max_steps=n_steps)) == n_steps + 1
    with pytest.raises(ValueError, match=f"after {n_steps - 1} steps"):
        gradient_descent.fit(x, y, [0, 0], 0.4, max_steps=n_steps - 1)
    with pytest.raises(ValueError, match=r"\(3,\).*\(3, 1\)"):
        gradient_descent.mse(np.zeros(2), np.ones(3), np.ones((3, 1)))


def test_the_penguins_have_an_edge(gradient_descent):
    """Where theory of 2.6 puts it: at two over the largest curvature."""
    x = torch.from_numpy(gradient_descent.flipper)
    table = torch.stack([x, torch.ones_like(x)], dim=1)
    largest = torch.linalg.eigvalsh(2 * table.T @ table / len(x))[-1].item()
    steps = gradient_descent.steps_needed
    assert max(steps) < 2 / largest < 0.28 and 0.27 in steps
    assert steps[0.01] > steps[0.03] > steps[0.1] > steps[0.2] < steps[0.25] < steps[0.27]
    exact = torch.linalg.lstsq(table, torch.from_numpy(gradient_descent.mass)[:, None]).solution[:, 0]
    np.testing.assert_allclose(gradient_descent.line_path[-1], exact, atol=1e-5)


# 2.6 curvature


@pytest.mark.parametrize("seed", range(4))
def test_hessian_matches_autograd(curvature, seed):
    place = np.random.default_rng(seed).normal(size=3)
    tensor = torch.from_numpy(place)
    expected = torch.func.grad(lambda p: wavy(p, torch))(tensor)
    np.testing.assert_allclose(curvature.gradient(wavy, place), expected, rtol=1e-7, atol=1e-8)
    second = torch.autograd.functional.hessian(lambda p: wavy(p, torch), tensor)
    np.testing.assert_allclose(curvature.hessian(wavy, place), second, rtol=1e-4, atol=1e-5)


def test_whole_numbers_have_a_hessian(curvature):
    second = curvature.hessian(lambda p: p[0] * p[0] * p[1], np.array([1, 2]))
    np.testing.assert_allclose(second, [[4, 2], [2, 0]], atol=1e-4)
    assert curvature.quadratic(np.array([1.0, 2.0])) == 9.5


def test_eigenvectors_are_the_directions_of_extreme_curvature(curvature):
    matrix = torch.from_numpy(curvature.paper_hessian)
    assert matrix.tolist() == [[3, 1], [1, 3]]
    d = torch.from_numpy(curvature.directions)
    np.testing.assert_allclose(curvature.curvatures, torch.einsum("ni,ij,nj->n", d, matrix, d), rtol=1e-10)
    assert curvature.curvatures.max() == pytest.approx(4) and curvature.curvatures.min() == pytest.approx(2)
    assert curvature.curvatures.argmax() == 45 and curvature.curvatures.argmin() == 135


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_line_loss_has_this_hessian(curvature, n):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    parameters = np.array([0.3, -1.1])

    def loss(parameters):
        return F.mse_loss(parameters[0] * torch.from_numpy(x) + parameters[1], torch.from_numpy(y))

    place = torch.tensor(parameters, requires_grad=True)
    assert curvature.mse(parameters, x, y) == pytest.approx(loss(place).item())
    slope = torch.autograd.grad(loss(place), place)[0]
    np.testing.assert_allclose(curvature.mse_gradient(parameters, x, y), slope, rtol=1e-10, atol=1e-12)
    second = torch.autograd.functional.hessian(loss, place.detach())
    np.testing.assert_allclose(curvature.mse_hessian(x), second, rtol=1e-10, atol=1e-12)


def test_the_limit_is_two_over_the_largest_eigenvalue(curvature):
    values, vectors = torch.linalg.eigh(torch.from_numpy(curvature.penguin_hessian))
    np.testing.assert_allclose(curvature.eigenvalues, values)
    np.testing.assert_allclose(np.abs(curvature.eigenvectors.T @ vectors.numpy()), np.eye(2), atol=1e-12)
    largest = values[-1].item()
    lengths = {rate: np.linalg.norm(walk[-1] - curvature.lowest) for rate, walk in curvature.walks.items()}
    assert [2 / largest > rate for rate in lengths] == [True, True, False]
    start = np.linalg.norm(curvature.start - curvature.lowest)
    assert [length < start for length in lengths.values()] == [True, True, False]
    below, above = (np.linalg.norm(walk[-1] - curvature.lowest) for walk in curvature.far_walks.values())
    assert below < 0.1 < 10 < above


@pytest.mark.parametrize("seed", range(4))
def test_each_part_of_the_distance_has_its_own_factor(curvature, seed):
    """In three dimensions, on data of the test's own."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, 3))
    matrix = root @ root.T
    values, vectors = np.linalg.eigh(matrix)
    start = rng.normal(size=3)
    for share, converges in ((0.9, True), (1.1, False)):
        rate = share * 2 / values[-1]
        walk = curvature.descend(lambda point: matrix @ point, start, rate, 100)
        parts = walk @ vectors
        expected = parts[0] * (1 - rate * values) ** np.arange(101)[:, None]
        np.testing.assert_allclose(parts, expected, rtol=1e-6, atol=1e-6)
        assert (abs(parts[-1, -1]) < abs(parts[0, -1])) == converges


@pytest.mark.parametrize("kappa", [2, 10, 50])
def test_steps_follow_the_condition_number(curvature, kappa):
    expected = math.ceil(math.log(1e-6) / math.log((kappa - 1) / (kappa + 1)))
    assert curvature.steps_to(1e-6, [1, kappa], 2 / (1 + kappa)) == expected
    assert curvature.steps_to(1e-6, [1, (1 + kappa) / 2, kappa], 2 / (1 + kappa)) == expected
    # three times three quarters is below one half
    assert curvature.steps_to(0.5, [3.0], 0.25 / 3) == 3
    assert curvature.steps_to(0.5, np.array([3]), 0.25 / 3) == 3


def test_steps_name_the_fault(curvature):
    with pytest.raises(ValueError, match="does not converge"):
        curvature.steps_to(1e-6, [1, 10], 0.2)
    with pytest.raises(ValueError, match="too slow"):
        curvature.steps_to(1e-6, [1e-9, 1], 1.0)


def test_scaling_shortens_the_walk(curvature):
    steps, kappas = curvature.steps_by_input, curvature.kappas
    assert list(steps) == list(kappas) == ["decimetres", "cm beyond 19", "scaled"]
    assert steps["decimetres"] > 50 * steps["cm beyond 19"] > 50 * steps["scaled"]
    assert kappas["decimetres"] > 50 * kappas["cm beyond 19"] > 50 * kappas["scaled"]
    scaled = torch.from_numpy(curvature.inputs["scaled"])
    assert scaled.mean() == pytest.approx(0, abs=1e-12)
    assert scaled.std(correction=0) == pytest.approx(1)


def test_signs_of_the_eigenvalues_name_the_kind_unless_one_is_zero(curvature):
    signs = curvature.signs
    kinds = {name: signs[name] for name in ("minimum", "maximum", "saddle", "valley")}
    assert kinds == {"minimum": (1, 1), "maximum": (-1, -1), "saddle": (-1, 1), "valley": (0, 1)}
    assert signs["x² + y⁴"] == signs["x² − y⁴"] == signs["valley"]
    sideways = np.array([0.0, 0.1])
    assert curvature.more_shapes["x² + y⁴"](sideways) > 0 > curvature.more_shapes["x² − y⁴"](sideways)


def test_the_best_quadratic_misses_by_the_third_power(curvature):
    rng = np.random.default_rng(5)
    for _ in range(4):
        place, step = rng.normal(size=(2, 3))
        slope, second = curvature.gradient(wavy, place), curvature.hessian(wavy, place)
        missed = []
        for scale in (0.1, 0.01):
            s = scale * step
            missed.append(abs(wavy(place + s) - (wavy(place) + slope @ s + s @ second @ s / 2)))
        assert missed[0] > 300 * missed[1]
    assert curvature.quadratic_ratio > 700 and curvature.board_ratio < 120


# 2.7 numpy_to_pytorch


@pytest.mark.parametrize("amount", [0, 100, -60, 255])
def test_brighten_matches_torch(numpy_to_pytorch, amount):
    photo = np.random.default_rng(0).integers(0, 256, size=(7, 5, 3), dtype=np.uint8)
    expected = (torch.from_numpy(photo).int() + amount).clamp(0, 255).to(torch.uint8)
    ours = numpy_to_pytorch.brighten(photo, amount)
    assert ours.dtype == np.uint8 and np.array_equal(ours, expected)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3, 0.9])
def test_the_parabola_agrees_in_every_bit(numpy_to_pytorch, rate):
    ours = numpy_to_pytorch.descend(lambda x: 2.0 * x, 0.7, rate, n_steps=30)
    theirs = numpy_to_pytorch.descend_torch(lambda x: 2.0 * x * x / 2, 0.7, rate, n_steps=30)
    assert ours.shape == theirs.shape == (31,) and theirs.dtype == torch.float64
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_walks_match_the_optimizer(numpy_to_pytorch, dtype):
    start = [0.3, -1.0]
    place = torch.tensor(start, dtype=dtype, requires_grad=True)
    optimizer = torch.optim.SGD([place], lr=0.2)
    theirs = numpy_to_pytorch.descend_torch(numpy_to_pytorch.mse, start, 0.2, 9, dtype=dtype)
    ours = numpy_to_pytorch.descend(numpy_to_pytorch.mse_gradient, start, 0.2, 9)
    x, y = (torch.from_numpy(column).to(dtype) for column in (numpy_to_pytorch.x, numpy_to_pytorch.y))
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert theirs.dtype == dtype and len(theirs) == len(ours) == 10
    for left, right in zip(ours, theirs):
        np.testing.assert_allclose(left, place.detach(), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(right, place.detach(), rtol=tolerance, atol=tolerance)
        optimizer.zero_grad()
        F.mse_loss(place[0] * x + place[1], y).backward()
        optimizer.step()


def test_line_fits_agree_to_twelve_digits(numpy_to_pytorch):
    ours, theirs = numpy_to_pytorch.line_path, numpy_to_pytorch.line_paths_torch
    assert len(ours) == 61 and not np.array_equal(ours[0], ours[-1])
    np.testing.assert_allclose(theirs[torch.float64], ours, rtol=1e-12, atol=1e-12)
    assert 1e-8 < np.abs(theirs[torch.float32] - ours).max() < 1e-5


def test_walks_keep_and_change_nothing_that_they_were_given(numpy_to_pytorch):
    start = np.array([4, 2])
    path = numpy_to_pytorch.descend(lambda x: 2 * x, start, 0.25, 2)
    assert path.tolist() == [[4, 2], [2, 1], [1, 0.5]] and start.tolist() == [4, 2]
    path = numpy_to_pytorch.descend_torch(lambda x: (x * x).sum(), [4, 2], 0.25, 2)
    assert path.tolist() == [[4, 2], [2, 1], [1, 0.5]] and not path.requires_grad
    assert len(numpy_to_pytorch.descend_torch(lambda x: x * x, 4.0, 0.25, 0)) == 1


def test_memory_is_shared_as_the_lesson_says(numpy_to_pytorch):
    lesson = numpy_to_pytorch
    lesson.array[3] = 7.0
    assert lesson.shared[3] == 7 and lesson.copied[3] == 0
    lesson.array[3] = 0.0
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(lesson.array[::-1])  # a tensor cannot walk backward through memory


def test_the_table_pairs_name_the_same_thing(numpy_to_pytorch):
    assert len(numpy_to_pytorch.table) >= 16
    for (in_numpy, in_torch), (ours, theirs) in numpy_to_pytorch.table.items():
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        names = {"a": numpy_to_pytorch.a, "t": torch.tensor(numpy_to_pytorch.a), "np": np, "torch": torch}
        for code, value in ((in_numpy, ours), (in_torch, theirs)):  # what is printed is what was computed
            computed = eval(code, names)
            np.testing.assert_allclose(computed, value, rtol=1e-12)
    assert "dtype" in numpy_to_pytorch.dtype_error


# 2.8 statistics_and_probability


@pytest.mark.parametrize("n", [2, 7, 100])
@pytest.mark.parametrize("correction", [0, 1])
def test_estimators_match_torch(statistics_and_probability, n, correction):
    stats = statistics_and_probability
    x, y = np.random.default_rng(n).normal(loc=3, size=(2, n))
    u, v = torch.from_numpy(x), torch.from_numpy(y)
    both = torch.stack([u, v])
    ours = [
        stats.mean(x),
        stats.variance(x, correction),
        stats.covariance(x, y, correction),
        stats.correlation(x, y),
    ]
    theirs = [
        u.mean(),
        u.var(correction=correction),
        both.cov(correction=correction)[0, 1],
        both.corrcoef()[0, 1],
    ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_spreads_survive_a_large_mean(statistics_and_probability):
    stats = statistics_and_probability
    x, y = np.random.default_rng(0).normal(size=(2, 50)) + 1e9
    expected = torch.from_numpy(np.stack([x, y]) - 1e9).cov(correction=0)  # exact, this subtraction
    ours = [stats.variance(x), stats.covariance(x, y), stats.covariance(y, x)]
    np.testing.assert_allclose(ours, expected.flatten()[[0, 1, 1]], rtol=1e-6)


def test_one_value_has_a_mean_and_no_spread(statistics_and_probability):
    assert statistics_and_probability.mean([4.0]) == 4 and statistics_and_probability.variance([4.0]) == 0


def test_statistics_name_the_fault(statistics_and_probability):
    stats = statistics_and_probability
    with pytest.raises(ValueError, match="no values"):
        stats.mean([])
    with pytest.raises(ValueError, match="1 values .* correction of 1"):
        stats.variance([3.0], 1)
    with pytest.raises(ValueError, match="2 values .* 3"):
        stats.covariance([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="1 values .* correction of 1"):
        stats.covariance([1], [2], 1)
    with pytest.raises(ValueError, match="no correlation"):
        stats.correlation([1, 2], [3, 3])
    with pytest.raises(ValueError, match=r"\(2,\).*\(4, 3\)"):
        stats.posterior(np.ones(2), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        stats.cross_entropy([0.5, 0.5], [0.2, 0.3, 0.5])
    for bad in ([0.5, 0.4], [1.5, -0.5]):
        with pytest.raises(ValueError, match="add up to one"):
            stats.cross_entropy([0.5, 0.5], bad)
        with pytest.raises(ValueError, match="add up to one"):
            stats.entropy(bad)


def test_simpson_turns_the_correlation_round(statistics_and_probability):
    assert statistics_and_probability.together < 0 < min(statistics_and_probability.within)


@pytest.mark.parametrize("center, spread", [(0.0, 1.0), (3.0, 0.2), (-1.0, 5.0)])
def test_normal_curve_matches_torch(statistics_and_probability, center, spread):
    x = np.random.default_rng(0).normal(size=7)
    parameters = torch.tensor([center, spread], dtype=torch.float64)
    logs = torch.distributions.Normal(*parameters).log_prob(torch.from_numpy(x))
    ours = statistics_and_probability.normal_density(x, center, spread)
    np.testing.assert_allclose(ours, logs.exp(), rtol=1e-10)
    total = statistics_and_probability.log_likelihood(x, center, spread)
    assert total == pytest.approx(logs.sum().item(), rel=1e-10)


def test_gap_to_normal_tells_normal_from_other(statistics_and_probability):
    z = torch.linspace(0.005, 0.995, 100, dtype=torch.float64)
    quantiles = torch.special.ndtri(z).numpy()
    assert statistics_and_probability.gap_to_normal(5 + 3 * quantiles) < 0.01
    assert statistics_and_probability.gap_to_normal(np.array([-1.0, -1, 1, 1])) == pytest.approx(
        torch.special.ndtr(torch.tensor(1.0)).item() - 0.75, abs=1e-6
    )


@pytest.mark.parametrize("n_dice", [1, 2, 3])
def test_dice_sums_match_counting(statistics_and_probability, n_dice):
    sums, probabilities = statistics_and_probability.dice_sums(n_dice)
    thrown = [sum(dice) for dice in itertools.product(range(1, 7), repeat=n_dice)]
    assert sums.tolist() == list(range(n_dice, 6 * n_dice + 1))
    np.testing.assert_allclose(probabilities, [thrown.count(k) / 6**n_dice for k in sums], rtol=1e-12)


def test_the_average_is_off_by_one_over_root_n(statistics_and_probability):
    stats = statistics_and_probability
    for errors in (stats.errors, stats.share_errors):
        slope = np.polyfit(np.log(stats.sizes), np.log(errors), 1)[0]
        assert slope == pytest.approx(-0.5, abs=0.02)
    assert stats.share_errors[0] == pytest.approx(stats.is_gentoo.std() / math.sqrt(2), rel=0.03)
    over_n, over_less = np.array(stats.ratios[0]), np.array(stats.ratios[1])
    assert np.all(over_n < 1) and over_n[0] == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(over_less, 1, atol=0.05)


def test_constants_have_no_correlation(statistics_and_probability):
    """Also those whose computed spread is not quite zero, because their mean is rounded."""
    stats = statistics_and_probability
    assert stats.variance([0.1] * 10) >= 0 and max(stats.variance([c] * 10) for c in (0.1, 0.7, 182.6)) > 0
    rng = np.random.default_rng(0)
    for constant in (0.1, 0.7, 182.6, *rng.uniform(0, 1000, 50)):
        with pytest.raises(ValueError, match="no correlation"):
            stats.correlation([constant] * 10, rng.normal(size=10))
        with pytest.raises(ValueError, match="no correlation"):
            stats.correlation(rng.normal(size=10), [constant] * 10)
    assert stats.correlation([1e9, 1e9 + 1, 1e9 + 2], [3, 2, 1]) == pytest.approx(-1)


def test_small_whole_numbers_do_not_overflow(statistics_and_probability):
    stats = statistics_and_probability
    x = np.array([200, 100, 250], dtype=np.uint8)
    y = np.array([1, 5, 2], dtype=np.int8)
    assert stats.mean(x) == pytest.approx(550 / 3)
    assert stats.variance(x) == pytest.approx(x.astype(float).var())
    assert stats.correlation(x, y) == pytest.approx(np.corrcoef(x.astype(float), y)[0, 1])
    assert x.tolist() == [200, 100, 250]


def test_independence_makes_the_difference(statistics_and_probability):
    gaps, variances = statistics_and_probability.dice_gaps, statistics_and_probability.dice_variances
    assert gaps["16 dice"] < 0.02 and gaps["one die × 16"] == pytest.approx(gaps["1 die"])
    assert variances["16 dice"] == pytest.approx(16 * 35 / 12)
    assert variances["one die × 16"] == pytest.approx(256 * 35 / 12)


def test_the_flipper_tells_the_species_on_any_split(statistics_and_probability):
    """The lesson shows one split and says what thirty others gave."""
    stats = statistics_and_probability
    with_flipper, without = [], []
    for seed in range(30):
        order = np.random.default_rng(100 + seed).permutation(len(stats.labels))
        fitted, held_out = order[:228], order[228:]
        groups = [stats.flipper[fitted][stats.labels[fitted] == k] for k in range(3)]
        centers, spreads = np.array([[group.mean(), group.std()] for group in groups]).T
        prior = np.array([len(group) for group in groups]) / 228
        curves = stats.normal_density(stats.flipper[held_out][:, None], centers, spreads)
        right = stats.posterior(prior, curves).argmax(axis=1) == stats.labels[held_out]
        with_flipper.append(right.mean())
        without.append(np.mean(stats.labels[held_out] == prior.argmax()))
        assert without[-1] < with_flipper[-1] - 0.2
    assert 0.72 < min(with_flipper) < 0.78 and 0.82 < max(with_flipper) < 0.89
    assert 0.26 < min(without) < 0.36 and 0.45 < max(without) < 0.54


def test_the_covariance_matrix_matches_torch(statistics_and_probability):
    stats = statistics_and_probability
    expected = torch.from_numpy(stats.gentoos.T).cov(correction=0)
    np.testing.assert_allclose(stats.covariance_matrix, expected, rtol=1e-10)
    np.testing.assert_allclose(stats.along, torch.linalg.eigvalsh(expected), rtol=1e-10)


def test_without_repeats_the_error_is_smaller(statistics_and_probability):
    """On five numbers, where all draws can be counted."""
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    for n in (1, 2, 3, 5):
        means = [np.mean(draw) for draw in itertools.combinations(values, n)]
        assert np.std(means) == pytest.approx(values.std() / math.sqrt(n) * math.sqrt((5 - n) / 4))
    stats = statistics_and_probability
    with_factor = stats.mass.std() / math.sqrt(stats.n) * stats.correction_factor
    assert stats.shuffled.std() == pytest.approx(with_factor, rel=0.06)


def test_cross_entropy_of_a_belief_that_rules_out_what_happens(statistics_and_probability):
    assert statistics_and_probability.cross_entropy([0.5, 0.5], [1, 0]) == math.inf
    assert statistics_and_probability.cross_entropy([1, 0], [1, 0]) == 0


def test_bayes_agrees_with_counting(statistics_and_probability):
    counts = np.random.default_rng(0).integers(1, 20, size=(4, 3))  # causes by what was seen
    prior = counts.sum(axis=1) / counts.sum()
    likelihood = counts / counts.sum(axis=1, keepdims=True)
    expected = (counts / counts.sum(axis=0)).T
    np.testing.assert_allclose(
        statistics_and_probability.posterior(prior, likelihood.T), expected, rtol=1e-12
    )
    one = statistics_and_probability.posterior(prior, likelihood[:, 0])
    np.testing.assert_allclose(one, expected[0], rtol=1e-12)
    assert statistics_and_probability.accuracy > 0.7


def test_the_most_likely_mean_is_the_mean(statistics_and_probability):
    assert statistics_and_probability.logs.argmax() == statistics_and_probability.squares.argmin()


@pytest.mark.parametrize("k", [1, 2, 7])
def test_entropies_match_torch(statistics_and_probability, k):
    p, q = np.random.default_rng(k).dirichlet(np.ones(k), size=2)
    expected = torch.distributions.Categorical(torch.from_numpy(p)).entropy().item()
    assert statistics_and_probability.entropy(p) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    crossed = F.cross_entropy(torch.from_numpy(np.log(q)), torch.from_numpy(p)).item()
    assert statistics_and_probability.cross_entropy(p, q) == pytest.approx(crossed, rel=1e-10, abs=1e-12)
    assert statistics_and_probability.cross_entropy([0.0, 1.0], [0.5, 0.5]) == pytest.approx(math.log(2))


# numbers of every kind


def whole_numbers(*shapes, low=0, high=4):
    """Arrays of whole numbers from low to high, as float64."""
    rng = np.random.default_rng(0)
    return [rng.integers(low, high + 1, shape).astype(float) for shape in shapes]


A, B, SQUARE = whole_numbers((3, 5), (5, 2), (4, 4))
U, V, W3 = [1.0, 2, 0, 3], [2.0, 0, 1, 5], [3.0, 1, 2]
UNSIGNED = [3.0, 1, 4, 1, 5]


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("scalars_to_tensors", lambda m, a, b: m.dot(a, b), [U, V]),
        ("scalars_to_tensors", lambda m, a: m.norm(a), [U]),
        ("scalars_to_tensors", lambda m, a, b: m.projection(a, b), [U, V]),
        ("scalars_to_tensors", lambda m, a, b: m.cosine(a, b), [U, V]),
        ("scalars_to_tensors", lambda m, a, b: m.angle(a, b), [U, V]),
        ("scalars_to_tensors", lambda m, a, b: m.nearness(a, b), [SQUARE, V]),
        ("scalars_to_tensors", lambda m, a, b: m.cosines(a + 1, b), [SQUARE, V]),
        ("tensor_operations", lambda m, a, b: m.dot_products(a, b), [A, B]),
        ("tensor_operations", lambda m, a, b: m.column_mix(a, b), [A, B]),
        ("tensor_operations", lambda m, a, b: m.outer_sum(a, b), [A, B]),
        ("tensor_operations", lambda m, a, b: m.row_blocks(a, b, 2), [A, B]),
        ("tensor_operations", lambda m, a, b: m.mean_squared_error(a, b), [U, V]),
        ("gradients", lambda m, p, x, y: m.loss(p, x, y), [[2.0, 1], W3, [4.0, 2, 0]]),
        ("gradients", lambda m, p, x, y: m.bird_gradients(p, x, y), [[2.0, 1], W3, [4.0, 2, 0]]),
        ("gradients", lambda m, p: m.gradient(lambda q: (q * q).sum(), p), [W3]),
        ("gradients", lambda m, p: m.angle_of(p), [[2.0, 1]]),
        ("gradient_descent", lambda m, p: m.descend(lambda q: 2 * q, p, 0.25, 3), [W3]),
        ("gradient_descent", lambda m, p, x, y: m.mse(p, x, y), [[2.0, 1], W3, [4.0, 2, 0]]),
        ("gradient_descent", lambda m, p, x, y: m.mse_gradient(p, x, y), [[2.0, 1], W3, [4.0, 2, 0]]),
        ("curvature", lambda m, p: m.gradient(lambda q: (q * q).sum(), p), [W3]),
        ("curvature", lambda m, p: m.hessian(lambda q: (q * q).sum(), p), [W3]),
        ("curvature", lambda m, x: m.mse_hessian(x), [W3]),
        ("curvature", lambda m, p: m.descend(lambda q: 2 * q, p, 0.25, 3), [W3]),
        ("numpy_to_pytorch", lambda m, p: m.descend(lambda q: 2 * q, p, 0.25, 3), [W3]),
        ("statistics_and_probability", lambda m, x: m.mean(x), [UNSIGNED]),
        ("statistics_and_probability", lambda m, x: m.variance(x, 1), [UNSIGNED]),
        ("statistics_and_probability", lambda m, x, y: m.covariance(x, y), [U, V]),
        ("statistics_and_probability", lambda m, x, y: m.correlation(x, y), [U, V]),
        ("statistics_and_probability", lambda m, x: m.normal_density(x, 2, 3), [UNSIGNED]),
        ("statistics_and_probability", lambda m, x: m.gap_to_normal(x), [UNSIGNED]),
        ("statistics_and_probability", lambda m, x: m.log_likelihood(x, 2, 3), [UNSIGNED]),
        ("statistics_and_probability", lambda m, p, q: m.cross_entropy(p, q), [[0.0, 1], [0.0, 1]]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and entries that lie apart in memory; differences in h are taken in float64."""
    m = lesson(stem)
    differences = stem in ("gradients", "curvature", "gradient_descent", "numpy_to_pytorch")
    any_numbers(lambda *a: call(m, *a), *arrays, float32=not differences)


# settings at the edge

LINE = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.0])


@pytest.mark.parametrize("stem", ["gradient_descent", "curvature", "numpy_to_pytorch"])
def test_descent_takes_no_step_no_rate_and_a_large_one(lesson, stem):
    m = lesson(stem)
    ways = [lambda *settings: m.descend(lambda p: 2 * p, [1.0, 3.0], *settings)]
    if stem == "numpy_to_pytorch":
        ways.append(lambda *settings: m.descend_torch(lambda p: (p * p).sum(), [1.0, 3.0], *settings).numpy())
    for descend in ways:
        assert descend(0.1, 0).tolist() == [[1, 3]]
        assert descend(0.0, 2).tolist() == [[1, 3]] * 3
        np.testing.assert_allclose(descend(100.0, 2)[-1], [199.0**2, 3 * 199.0**2])


@pytest.mark.parametrize(
    "stem, call, says",
    [
        *(
            ("gradient_descent", lambda m, rate=rate: m.fit(*LINE, [0, 0], rate), f"positive, got {rate}")
            for rate in (0.0, -1.0, math.nan)
        ),
        ("gradient_descent", lambda m: m.fit(*LINE, [0, 0], 100.0), "a rate of 100 diverges"),
        ("gradient_descent", lambda m: m.fit(*LINE, [0, 0], 0.1, max_steps=0), "not arrived after 0 steps"),
        (
            "gradient_descent",
            lambda m: m.fit(LINE[0], LINE[1][:, None], [0, 0], 0.1),
            r"x has shape \(3,\) but y has shape \(3, 1\)",
        ),
        *(
            ("curvature", lambda m, rate=rate: m.steps_to(0.1, [1, 2], rate), f"a rate of {rate} does not")
            for rate in (0.0, -1.0, 100.0, math.nan)
        ),
        ("curvature", lambda m: m.steps_to(0.1, [1, 2], 0.1, max_steps=0), "too slow"),
        ("statistics_and_probability", lambda m: m.dice_sums(-1), "no -1 dice"),
        ("statistics_and_probability", lambda m: m.normal_density(0.0, 0.0, 0.0), "positive, got 0.0"),
        (
            "statistics_and_probability",
            lambda m: m.normal_density(0.0, 0.0, np.array([1, -1])),
            r"positive, got \[ 1 -1\]",
        ),
        ("statistics_and_probability", lambda m: m.entropy([math.nan, 1]), "add up to one"),
        (
            "tensor_operations",
            lambda m: m.row_blocks(np.ones((3, 3)), np.ones((3, 3)), 0),
            "blocks of 0 rows",
        ),
        ("tensor_operations", lambda m: m.row_blocks(np.ones((0, 3)), np.ones((3, 3)), 2), r"shape \(0, 3\)"),
    ],
)
def test_impossible_settings_are_named(lesson, stem, call, says):
    with pytest.raises(ValueError, match=says):
        call(lesson(stem))


def test_one_row_and_no_dice_are_enough(tensor_operations, statistics_and_probability):
    row = np.array([[2.0, 3.0]])
    assert tensor_operations.row_blocks(row, row.T, 1).tolist() == [[13]]
    assert [part.tolist() for part in statistics_and_probability.dice_sums(0)] == [[0], [1]]


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
