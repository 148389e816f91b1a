"""Chapter 3: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "dataset": [
        {
            "add": "measurements = measurements * [1, 1, 1000, 1]",
            "after": "train, validation, test = stratified_split(labels, shares, rng)",
            "prints": "standardised        right on the validation set: 97.0%",
            "figure": 3,
        },
        {
            "change": {"shares = (0.6, 0.2, 0.2)": "shares = (0.98, 0.01, 0.01)"},
            "raises": "class 1 has 68 examples, too few",
        },
        {
            "add": """
for name, part in (("validation", validation), ("training", train)):
    distances = np.linalg.norm(x[part][:, None, :] - x[train], axis=2)  # (m, 1, 4) - (n, 4) -> (m, n)
    neighbors = labels[train][distances.argmin(axis=1)]
    print(f"nearest neighbour, {name}: {np.mean(neighbors == labels[part]):.1%}")
""",
            "prints": "nearest neighbour, training: 100.0%",
        },
    ],
    "measuring_loss": [
        {
            "change": {'COLUMNS = ("bill_length_mm",)': 'COLUMNS = ("flipper_length_mm",)'},
            "prints": "-> 0.5442",
            "figure": 4,
        },
        {
            "change": {"starts = (-2.0, -4.0, -6.0, -8.0)": "starts = (-1.0, -2.0, -3.0, -4.0)"},
            "prints": "w = b = -3",
        },
        {
            "add": """
true_probability = sigmoid(scores)  # of a chinstrap
slope = -true_probability * (1 - true_probability)
measured = -(sigmoid(scores + 1e-5) - sigmoid(scores - 1e-5)) / 2e-5
np.testing.assert_allclose(slope, measured, atol=1e-9)
print(f"1 - p: slope at score -8: {slope[0]:.5f}")
""",
            "prints": "1 - p: slope at score -8: -0.00034",
        },
    ],
    "training_loop": [
        {"change": {"learning_rate = 1.0\n": "learning_rate = 100.0\n"}, "figure": 1},
        {"change": {"n_epochs = 30": "n_epochs = 1"}, "figure": 3, "prints": "batch size"},
        {
            "add": """
millimetres = center + spread * x_train  # (n, 2)
for rate in (0.1, 0.01, 0.001, 0.0001, 0.00001):
    raw_w = np.zeros(2)
    raw_b = 0.0
    for _ in range(n_steps):
        raw_loss, grad_w, grad_b = logistic(raw_w, raw_b, millimetres, y_train)
        raw_w = raw_w - rate * grad_w
        raw_b = raw_b - rate * grad_b
    print(f"raw millimetres, rate {rate:g}: loss {raw_loss:.4f}, standardised {train_losses[-1]:.4f}")
""",
            "prints": "raw millimetres, rate 0.0001: loss 0.5",
        },
    ],
    "evaluation": [
        {
            "change": {"np.array([0.45, 0.6])": "np.array([0.45, 0.9])"},
            "prints": "standard error: by bootstrap 0.0",
        },
        {"change": {"validation_rate >= 0.95": "validation_rate >= 1.0"}, "figure": 1},
        {
            "add": """
with_species = np.column_stack([measurements, np.eye(3)[species]])  # (n, 4 + 3)
in_training = with_species[train]  # (n_train, 7)
wide_x = (with_species - in_training.mean(axis=0)) / in_training.std(axis=0)
wide_weight = np.zeros(7)
wide_bias = 0.0
for _ in range(1000):
    grad_z = (probability(wide_x[train] @ wide_weight + wide_bias) - labels[train]) / len(train)
    wide_weight -= wide_x[train].T @ grad_z
    wide_bias -= grad_z.sum()
wide_right = (wide_x[test] @ wide_weight + wide_bias > 0) == labels[test]
low, high, _ = bootstrap_interval(wide_right - right_answers, 4000, rng)
print(f"with species: accuracy {wide_right.mean():.1%}, gain from {low:+.3f} to {high:+.3f}")
""",
            "prints": "with species: accuracy 9",
        },
    ],
    "xor_numpy": [
        {
            "change": {"y = np.array([0, 1, 1, 0])": "y = np.array([0, 1, 1, 1])"},
            "prints": "1 hidden neurons: 100 of 100 runs succeed",
        },
        {"change": {"n_steps = 2000": "n_steps = 6000"}, "prints": "2 hidden neurons:  5"},
        {
            "add": """
ACTIVATIONS["none"] = (lambda z: z, lambda hidden: np.ones_like(hidden))
straight = stacked([initial(8, np.random.default_rng(seed)) for seed in range(100)])
straight_scores = train_stack(straight, x, y, n_steps, 0.1, "none")
n_right = np.all((straight_scores > 0) == y, axis=1).sum()
straight_losses = np.mean(np.logaddexp(0, straight_scores) - y * straight_scores, axis=1)
print(f"two linear layers end at {straight_losses.min():.4f} to {straight_losses.max():.4f}")
""",
            "prints": "two linear layers end at 0.6931 to 0.6931",
        },
    ],
    "xor_pytorch": [
        {"change": {"np.array([0.3, 0.65])": "np.array([0.6, 0.8])"}, "figure": 2},
        {
            "change": {
                "targets)  # forward, loss\n    optimizer.zero_grad()\n": "targets)  # forward, loss\n"
            },
            "figure": 1,
        },
        {
            "add": """
torch.manual_seed(1)
own = PenguinClassifier(4, center, spread)
own_optimizer = torch.optim.SGD(own.parameters(), lr=0.5)
for step in range(101):
    if step % 20 == 0:
        both = [grade(own, part)[0] for part in (train, validation)]
        print(f"step {step:3d}   training {both[0]:.4f}   validation {both[1]:.4f}")
    own_loss = nn.functional.cross_entropy(own(bird_x[train]), bird_y[train])
    own_optimizer.zero_grad()
    own_loss.backward()
    own_optimizer.step()
""",
            "prints": "step 100   training 0.1",
        },
    ],
}


@pytest.fixture
def dataset(lesson):
    return lesson("dataset")


@pytest.fixture
def measuring_loss(lesson):
    return lesson("measuring_loss")


@pytest.fixture
def training_loop(lesson):
    return lesson("training_loop")


@pytest.fixture
def evaluation(lesson):
    return lesson("evaluation")


@pytest.fixture
def xor_numpy(lesson):
    return lesson("xor_numpy")


@pytest.fixture
def xor_pytorch(lesson):
    return lesson("xor_pytorch")


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


@pytest.mark.parametrize(
    "header, says",
    [
        ("\ufeff" + HEADER, "no column 'species' in the header"),  # a byte-order mark
        (HEADER.replace(",", ";"), "no column 'species'"),
        (HEADER.replace("mass", "weight"), "no column 'body_mass_g'"),
        ("", "no column 'species' in the header"),
    ],
)
def test_reading_names_what_the_header_lacks(dataset, header, says):
    with pytest.raises(ValueError, match=f"line 1: {says}"):
        dataset.read_penguins([header, "Adelie,39.1,3750"], ("body_mass_g",), dataset.SPECIES)


def test_reading_keeps_order_and_leaves_out_what_lacks_a_used_column(dataset):
    lines = [HEADER, "Gentoo,46.1,NA", "Adelie,NA,3700", "Chinstrap,0.5,3600"]  # small, and still positive
    measurements, labels = dataset.read_penguins(lines, ("bill_length_mm",), dataset.SPECIES)
    np.testing.assert_array_equal(measurements, [[46.1], [0.5]])
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_varies_by_rounding_only_is_constant(dataset, dtype):
    for value in np.arange(-99.9, 100, 0.1):
        with pytest.raises(ValueError, match=r"\[0\] are constant"):
            dataset.fit_scale(np.full((10, 1), value, dtype=dtype))
    small = np.array([[1e-9], [2e-9], [3e-9]], dtype=dtype)  # small numbers, and by no means constant
    center, spread = dataset.fit_scale(small)
    assert center.dtype == spread.dtype == dtype
    np.testing.assert_allclose(spread, small.std(axis=0), rtol=1e-6)


def test_scale_takes_whole_numbers_and_refuses_no_rows(dataset):
    x = np.array([[1, 10], [2, 30], [4, 20]])
    for given in (x, np.asfortranarray(x)):
        for ours, theirs in zip(dataset.fit_scale(given), (x.mean(axis=0), x.std(axis=0))):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    with pytest.raises(ValueError, match="no rows"):
        dataset.fit_scale(np.zeros((0, 2)))


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
    others = dataset.nearest_mean(x_train, np.array([7, 7, 2, 4]), np.array([[1.0, 0], [9, 1], [5, 5]]))
    np.testing.assert_array_equal(others, [7, 2, 4])  # the classes, not their places
    assert dataset.nearest_mean(x_train, y_train, np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize("seed", range(6))
def test_raw_units_and_a_scale_of_their_own_do_harm_on_every_split(dataset, seed):
    labels = dataset.labels
    train, validation, test = dataset.stratified_split(labels, dataset.shares, np.random.default_rng(seed))
    x = dataset.scaled(dataset.measurements, train)
    right = [
        np.mean(dataset.nearest_mean(values[train], labels[train], values[validation]) == labels[validation])
        for values in (dataset.measurements, x)
    ]
    assert right[0] < 0.8 < 0.9 < right[1]
    gentoos = dataset.measurements[test][labels[test] == 2]
    own = dataset.scaled(gentoos, np.arange(len(gentoos)))
    assert np.mean(dataset.nearest_mean(x[train], labels[train], own) == 2) < 0.5
    assert np.mean(dataset.nearest_mean(x[train], labels[train], x[test][labels[test] == 2]) == 2) > 0.9


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


def test_slope_of_the_cross_entropy_is_probability_minus_truth(measuring_loss):
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(scale=4, size=11), rng.integers(2, size=11)
    z = torch.tensor(scores, requires_grad=True)
    LOSSES["logistic_loss"](z, torch.from_numpy(labels)).sum().backward()
    np.testing.assert_allclose(measuring_loss.sigmoid(scores) - labels, z.grad, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(measuring_loss.slopes["cross-entropy"], measuring_loss.p - 1, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_take_whole_numbers_float32_and_nothing(measuring_loss, name):
    loss = getattr(measuring_loss, name)
    scores, labels = np.array([-3, 0, 2]), np.array([1, 0, 1])
    np.testing.assert_allclose(loss(scores, labels), loss(scores * 1.0, labels * 1.0), rtol=1e-12)
    assert loss(scores.astype(np.float32), labels).dtype == np.float32
    assert loss(np.zeros(0), np.zeros(0, dtype=int)).shape == (0,)
    with pytest.raises(ValueError, match=r"\(0,\)"):
        measuring_loss.cross_entropy(np.zeros((0, 2)), np.zeros(0, dtype=int))


@pytest.mark.parametrize("name", LOSSES)
def test_descent_steps_along_the_slope_that_autograd_finds(measuring_loss, name):
    path, losses = measuring_loss.descend(getattr(measuring_loss, name), 1.0, -0.5, 0.7, 2)
    x, y = torch.from_numpy(measuring_loss.x), torch.from_numpy(measuring_loss.y)
    for point, following, expected in zip(path, path[1:], losses):
        w, b = (torch.tensor(value, requires_grad=True) for value in point)
        loss = LOSSES[name](w * x + b, y).mean()
        loss.backward()
        assert loss.item() == pytest.approx(expected, rel=1e-10)
        np.testing.assert_allclose(following, point - 0.7 * np.array([w.grad, b.grad]), rtol=1e-7)


def test_squared_error_gets_stuck_far_out_and_cross_entropy_does_not(measuring_loss):
    """By the formulas, without nudging, from a start that the lesson does not use."""
    x, y = measuring_loss.x, measuring_loss.y
    ends = {"squared error": [], "cross-entropy": []}
    for name in ends:
        for rate in (1, 4, 16, 64, 128, 256, 1024):
            w = b = -9.0
            for _ in range(300):
                p = measuring_loss.sigmoid(w * x + b)
                grad_z = p - y if name == "cross-entropy" else 2 * (p - y) * p * (1 - p)
                w, b = w - rate * np.mean(grad_z * x), b - rate * np.mean(grad_z)
            p = measuring_loss.sigmoid(w * x + b)
            loss = measuring_loss.LOSSES[name](w * x + b, y).mean()
            ends[name].append(loss)
    assert min(ends["squared error"]) > 1.05 * 0.0344 and max(ends["cross-entropy"][:3]) < 1.05 * 0.1153


def test_cross_entropy_is_convex_and_squared_error_is_not(measuring_loss):
    rng = np.random.default_rng(5)
    above = {name: 0 for name in measuring_loss.LOSSES}
    for one, other in rng.uniform(-10, 10, size=(300, 2, 2)):
        for name, loss in measuring_loss.LOSSES.items():
            chord = (measuring_loss.mean_loss(*one, loss) + measuring_loss.mean_loss(*other, loss)) / 2
            above[name] += measuring_loss.mean_loss(*(one + other) / 2, loss) > chord + 1e-12
    assert above["cross-entropy"] == 0 < above["squared error"]


# 3.3 training_loop


@pytest.mark.parametrize("implementation", ["logistic_loops", "logistic"])
@pytest.mark.parametrize("n, n_features", [(1, 1), (7, 2), (30, 5)])
def test_logistic_regression_matches_autograd(training_loop, implementation, n, n_features):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, n_features)), rng.integers(2, size=n)
    w = torch.from_numpy(rng.normal(size=n_features)).requires_grad_()
    b = torch.tensor(rng.normal(), dtype=torch.float64, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(torch.from_numpy(x) @ w + b, torch.from_numpy(y).double())
    loss.backward()
    ours = getattr(training_loop, implementation)(w.detach().numpy(), b.item(), x, y)
    for mine, theirs in zip(ours, (loss.item(), w.grad, b.grad), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n, n_features, n_classes", [(1, 1, 2), (7, 2, 3), (30, 5, 11)])
def test_softmax_regression_matches_autograd(training_loop, n, n_features, n_classes):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, n_features)), rng.integers(n_classes, size=n)
    weight, bias = rng.normal(size=(n_classes, n_features)), rng.normal(size=n_classes)
    theirs = [torch.from_numpy(v).clone().requires_grad_() for v in (weight, bias)]
    loss = F.cross_entropy(F.linear(torch.from_numpy(x), *theirs), torch.from_numpy(y))
    loss.backward()
    ours = training_loop.softmax_regression(weight, bias, x, y)
    for mine, expected in zip(ours, (loss.item(), *(v.grad for v in theirs)), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-12)


def test_regressions_are_finite_at_hopeless_logits(training_loop):
    x, y = np.array([[1e4], [-1e4]]), np.array([0, 1])
    loss, w_grad, b_grad = training_loop.logistic(np.ones(1), 0.0, x, y)
    assert loss == 1e4 and w_grad == [1e4] and b_grad == 0
    loss, weight_grad, _ = training_loop.softmax_regression(np.array([[-1.0], [1.0]]), np.zeros(2), x, y)
    assert loss == 2e4 and np.isfinite(weight_grad).all()


@pytest.mark.parametrize("shape", [(3,), (1, 1), (4, 7), (2, 3, 5)])
def test_softmax_matches_torch(training_loop, shape):
    logits = np.random.default_rng(0).normal(scale=30, size=shape)
    expected = torch.softmax(torch.from_numpy(logits), dim=-1)
    np.testing.assert_allclose(training_loop.softmax(logits), expected, rtol=1e-10, atol=1e-300)


def test_regressions_name_the_fault(training_loop):
    x, column = np.ones((3, 2)), np.zeros((3, 1), dtype=int)
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 1\)"):
        training_loop.logistic(np.ones(2), 0.0, x, column)
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 1\)"):
        training_loop.softmax_regression(np.ones((4, 2)), np.zeros(4), x, column)
    for empty in (
        lambda: training_loop.logistic(np.ones(2), 0.0, x[:0], np.zeros(0, dtype=int)),
        lambda: training_loop.softmax_regression(np.ones((4, 2)), np.zeros(4), x[:0], np.zeros(0, dtype=int)),
    ):
        with pytest.raises(ValueError, match=r"\(0, 2\).*\(0,\)"):
            empty()
    with pytest.raises(ValueError, match="negative, got -1"):
        training_loop.softmax_regression(np.ones((4, 2)), np.zeros(4), x, np.array([0, -1, 1]))


def test_nudged_slope_matches_a_known_gradient(training_loop):
    parameter = np.random.default_rng(0).normal(size=(2, 3))
    before = parameter.copy()
    slopes = training_loop.nudged_slope(lambda: np.sum(parameter**3), parameter)
    np.testing.assert_allclose(slopes, 3 * before**2, rtol=1e-6)
    np.testing.assert_array_equal(parameter, before)
    whole = np.array([3, 4])
    with pytest.raises(ValueError, match="int64"):
        training_loop.nudged_slope(lambda: float((whole**2).sum()), whole)
    np.testing.assert_array_equal(whole, [3, 4])


def test_regressions_do_not_depend_on_layout_or_type(training_loop):
    rng = np.random.default_rng(0)
    x, y, weight = rng.integers(-3, 4, size=(7, 2)), rng.integers(3, size=7), rng.normal(size=(3, 2))
    bias = rng.normal(size=3)
    for given in (x * 1.0, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        theirs = training_loop.softmax_regression(np.asfortranarray(weight), bias, given, y)
        for ours, other in zip(training_loop.softmax_regression(weight, bias, x, y), theirs):
            np.testing.assert_allclose(ours, other, rtol=1e-12)
        for ours, other in zip(
            training_loop.logistic(weight[0], 0.1, x, y % 2),
            training_loop.logistic(weight[0], 0.1, given, y % 2),
        ):
            np.testing.assert_allclose(ours, other, rtol=1e-12)


def test_training_step_matches_sgd(training_loop):
    rng = np.random.default_rng(0)
    weight, bias, x, y = (
        rng.normal(size=(3, 2)),
        rng.normal(size=3),
        rng.normal(size=(5, 2)),
        np.arange(5) % 3,
    )
    model = torch.nn.Linear(2, 3, dtype=torch.float64)
    model.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(4):
        loss = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert training_loop.training_step(weight, bias, x, y, 0.3) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(weight, model.weight.detach(), rtol=1e-10)
    np.testing.assert_allclose(bias, model.bias.detach(), rtol=1e-10)


def test_training_ends_near_the_optimum(training_loop):
    w, b = (torch.tensor(v).requires_grad_() for v in (training_loop.best_w, training_loop.best_b))
    x, y = torch.tensor(training_loop.x_train), torch.tensor(training_loop.y_train).double()
    loss = F.binary_cross_entropy_with_logits(x @ w + b, y)
    loss.backward()
    assert loss.item() == pytest.approx(training_loop.optimum, abs=1e-9)
    assert max(w.grad.abs().max(), b.grad.abs()) < 1e-7
    assert training_loop.optimum < training_loop.train_losses[-1] < training_loop.optimum + 0.05
    for name, x, y in (
        ("train_losses", training_loop.x_train, training_loop.y_train),
        ("validation_losses", training_loop.x_validation, training_loop.y_validation),
    ):
        w, b = training_loop.models[7]
        loss = F.binary_cross_entropy_with_logits(torch.tensor(x @ w + b), torch.tensor(y).double()).item()
        assert getattr(training_loop, name)[7] == pytest.approx(loss, rel=1e-10)


def test_the_split_is_stratified_disjoint_and_scaled_by_the_training_birds(training_loop):
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 10, 7]))
    measurements = np.random.default_rng(1).normal(5, 3, size=(37, 2))
    split = training_loop.split_and_scale(measurements, labels, np.random.default_rng(2))
    x_train, y_train, x_held, y_held, center, spread = split
    np.testing.assert_array_equal(np.bincount(y_train), [14, 7, 5])
    np.testing.assert_array_equal(np.bincount(y_train) + np.bincount(y_held), [20, 10, 7])
    np.testing.assert_allclose(x_train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(x_train.std(axis=0), 1, rtol=1e-12)
    back = np.concatenate([x_train, x_held]) * spread + center
    np.testing.assert_allclose(np.sort(back[:, 0]), np.sort(measurements[:, 0]), rtol=1e-12)
    for x, label in zip(back, np.concatenate([y_train, y_held])):
        assert label == labels[np.abs(measurements - x).sum(axis=1).argmin()]


def test_an_epoch_takes_every_bird_once(training_loop):
    x, y = training_loop.x_train, training_loop.y_train
    models = training_loop.train(x, y, len(y), 0.1, 2, np.random.default_rng(0))
    assert len(models) == 3
    w, b = np.zeros(2), 0.0
    for theirs in models:  # the order within one batch of everything does not matter
        np.testing.assert_allclose(theirs[0], w, rtol=1e-10, atol=1e-14)
        assert theirs[1] == pytest.approx(b, rel=1e-10, abs=1e-14)
        _, grad_w, grad_b = training_loop.logistic(w, b, x, y)
        w, b = w - 0.1 * grad_w, b - 0.1 * grad_b
    few = training_loop.train(x[:7], y[:7], 3, 1e-9, 1, np.random.default_rng(0))[-1]
    batches = np.random.default_rng(0).permutation(7)
    steps = [training_loop.logistic(np.zeros(2), 0.0, x[k], y[k])[1] for k in np.split(batches, (3, 6))]
    np.testing.assert_allclose(few[0], -1e-9 * np.sum(steps, axis=0), rtol=1e-6)  # 3, 3 and 1 birds


def test_at_its_own_rate_each_batch_size_reaches_the_same_loss(training_loop):
    """On splits that the lesson does not use; single birds are left to the lesson, which takes seconds."""
    lowest = []
    for size in (16, 154):
        finals = []
        for rate in (0.3, 1.0, 3.0, 10.0, 30.0):
            losses = []
            for seed in range(10, 16):
                rng = np.random.default_rng(seed)
                split = training_loop.split_and_scale(
                    training_loop.two_measurements, training_loop.two_labels, rng
                )
                w, b = training_loop.train(split[0], split[1], size, rate, 30, rng)[-1]
                losses.append(training_loop.logistic_loss(w, b, split[2], split[3]))
            finals.append(np.mean(losses))
        lowest.append((min(finals), np.argmin(finals)))
    assert lowest[0][0] == pytest.approx(lowest[1][0], rel=0.2) and lowest[0][1] < lowest[1][1]


def test_softmax_of_two_classes_is_the_sigmoid_of_the_difference(training_loop):
    rng = np.random.default_rng(0)
    x, y, w, b = rng.normal(size=(7, 2)), rng.integers(2, size=7), rng.normal(size=2), 0.3
    pair = np.stack([np.zeros(2), w])  # class 0 has no weights, class 1 those of logistic regression
    pair_loss, pair_grad, pair_grad_b = training_loop.softmax_regression(pair, np.array([0.0, b]), x, y)
    one_loss, one_grad, one_grad_b = training_loop.logistic(w, b, x, y)
    assert pair_loss == pytest.approx(one_loss, rel=1e-12)
    np.testing.assert_allclose(pair_grad, np.stack([-one_grad, one_grad]), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pair_grad_b, [-one_grad_b, one_grad_b], rtol=1e-10, atol=1e-12)


# 3.4 evaluation

nan = float("nan")


@pytest.mark.parametrize(
    "labels, predictions, n_classes, table",
    [
        ([0, 0, 1, 1, 2, 2, 2], [0, 1, 1, 1, 0, 2, 2], 3, [[1, 1, 0], [0, 2, 0], [1, 0, 2]]),
        ([1, 1], [0, 0], 2, [[0, 0], [2, 0]]),
        ([3], [1], 4, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]),
        ([], [], 2, [[0, 0], [0, 0]]),
    ],
)
def test_confusion_matrix_matches_a_table_made_by_hand(evaluation, labels, predictions, n_classes, table):
    labels, predictions = np.array(labels, dtype=int), np.array(predictions, dtype=int)
    np.testing.assert_array_equal(evaluation.confusion_matrix(labels, predictions, n_classes), table)


@pytest.mark.parametrize(
    "table, accuracy, precision, recall, f1",
    [
        ([[4, 2], [1, 3]], 0.7, [4 / 5, 3 / 5], [4 / 6, 3 / 4], [8 / 11, 6 / 9]),
        (
            [[1, 1, 0], [0, 2, 0], [1, 0, 2]],
            5 / 7,
            [1 / 2, 2 / 3, 1],
            [1 / 2, 1, 2 / 3],
            [1 / 2, 4 / 5, 4 / 5],
        ),
        ([[5, 0], [3, 0]], 5 / 8, [5 / 8, nan], [1, 0], [10 / 13, 0]),  # class 1 never predicted
        ([[5, 3], [0, 0]], 5 / 8, [1, 0], [5 / 8, nan], [10 / 13, 0]),  # class 1 absent
        ([[5, 0], [0, 0]], 1, [1, nan], [1, nan], [1, nan]),  # class 1 neither
        ([[0, 0], [0, 0]], nan, [nan, nan], [nan, nan], [nan, nan]),  # nothing at all
    ],
)
def test_grades_match_a_table_made_by_hand(evaluation, table, accuracy, precision, recall, f1):
    grades = evaluation.grades(np.array(table))
    expected = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
    assert grades.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(grades[name], value, rtol=1e-12)


def test_confusion_matrix_names_the_fault(evaluation):
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        evaluation.confusion_matrix(np.zeros(2, dtype=int), np.zeros(3, dtype=int), 2)
    for labels, predictions in (([0, 2], [0, 1]), ([0, 1], [0, 2]), ([-1, 0], [0, 0]), ([0, 0], [0, -1])):
        with pytest.raises(ValueError, match="0 … 1"):
            evaluation.confusion_matrix(np.array(labels), np.array(predictions), 2)


def test_roc_curve_matches_a_curve_made_by_hand(evaluation):
    scores, labels = np.array([0.9, 0.8, 0.8, 0.3, 0.1]), np.array([1, 1, 0, 1, 0])
    false_rate, true_rate, thresholds = evaluation.roc_curve(scores, labels)
    np.testing.assert_allclose(thresholds, [np.inf, 0.9, 0.8, 0.3, 0.1])
    np.testing.assert_allclose(false_rate, [0, 0, 1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(true_rate, [0, 1 / 3, 2 / 3, 1, 1])
    assert evaluation.area(false_rate, true_rate) == pytest.approx(0.75)  # 4 pairs and a tie of 6
    assert evaluation.pairwise_ranking(scores, labels) == pytest.approx(4.5 / 6)


@pytest.mark.parametrize("n", [2, 7, 60])
@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_area_equals_the_pairwise_ranking_probability(evaluation, n, decimals):
    rng = np.random.default_rng(n)
    labels = rng.permutation(np.arange(n) % 2)
    scores = np.round(rng.normal(size=n) + labels, decimals)
    area = evaluation.area(*evaluation.roc_curve(scores, labels)[:2])
    assert area == pytest.approx(evaluation.pairwise_ranking(scores, labels), rel=1e-10)
    assert area + evaluation.area(*evaluation.roc_curve(-scores, labels)[:2]) == pytest.approx(1)


def test_roc_curve_names_the_fault(evaluation):
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        evaluation.roc_curve(np.zeros(3), np.array([0, 1]))
    for labels in ([1, 1, 1], [0, 0, 0], [0, 1, 2]):
        with pytest.raises(ValueError, match="both classes"):
            evaluation.roc_curve(np.zeros(3), np.array(labels))


def test_calibration_matches_a_table_made_by_hand(evaluation):
    probabilities = np.array([0.0, 0.1, 0.25, 0.3, 0.4, 0.9, 1.0])
    promised, happened, counts = evaluation.calibration(
        probabilities, np.array([0, 1, 0, 0, 1, 1, 0]), np.array([0, 0.25, 0.5, 0.75, 1])
    )
    np.testing.assert_array_equal(counts, [2, 3, 0, 2])
    np.testing.assert_allclose(promised, [0.05, 0.95 / 3, nan, 0.95])
    np.testing.assert_allclose(happened, [0.5, 1 / 3, nan, 0.5])
    one = evaluation.calibration(np.array([0.1]), np.array([1]), np.array([0, 0.5, 1]))
    np.testing.assert_allclose(one, [[0.1, nan], [1, nan], [1, 0]])


def test_bootstrap_interval_covers_the_truth(evaluation):
    """Of many samples whose mean is known, about level of the intervals should hold it."""
    rng, truth, covered = np.random.default_rng(0), 0.8, 0
    for _ in range(300):
        low, high, _ = evaluation.bootstrap_interval(
            (rng.random(100) < truth).astype(float), 400, rng, level=0.9
        )
        covered += low <= truth <= high
    assert 0.83 < covered / 300 < 0.96
    low, high, means = evaluation.bootstrap_interval(np.arange(50.0), 4000, rng)
    for outside in (np.mean(means < low), np.mean(means > high)):
        assert outside == pytest.approx(0.025, abs=1e-3)
    assert means.std() == pytest.approx(np.arange(50).std() / np.sqrt(50), rel=0.05)


def test_fit_matches_gradient_descent_in_torch(evaluation):
    columns, n_steps = (0, 3), 40
    weight, bias, center, spread, scores = evaluation.fit(evaluation.train, columns, n_steps, 0.7)
    features = evaluation.measurements[:, columns]
    np.testing.assert_allclose(center, features[evaluation.train].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(spread, features[evaluation.train].std(axis=0), rtol=1e-12)
    x, y = torch.from_numpy((features - center) / spread), torch.from_numpy(evaluation.labels).double()
    model = torch.nn.Linear(2, 1, dtype=torch.float64)
    model.load_state_dict({name: torch.zeros_like(value) for name, value in model.state_dict().items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.7)
    for _ in range(n_steps):
        loss = F.binary_cross_entropy_with_logits(model(x[evaluation.train])[:, 0], y[evaluation.train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(weight, model.weight.detach()[0], rtol=1e-10)
    assert bias == pytest.approx(model.bias.item(), rel=1e-10)
    np.testing.assert_allclose(scores, model(x)[:, 0].detach(), rtol=1e-10, atol=1e-12)


def test_probability_matches_torch(evaluation):
    scores = np.array([-1e4, -3.0, 0.0, 0.7, 1e4])
    np.testing.assert_allclose(
        evaluation.probability(scores), torch.sigmoid(torch.from_numpy(scores)), atol=1e-300
    )


def test_the_sex_of_a_bird_is_predictable_but_not_certain(evaluation):
    assert 0.8 < np.mean(evaluation.right_answers) < 0.97 and 0.9 < evaluation.auc < 0.999
    assert 0.85 < np.mean((evaluation.held_out > 0.5) == evaluation.labels) < 0.95


def test_validation_flatters_what_it_chose(evaluation):
    assert np.mean(evaluation.chosen_on_validation) > 0.6 > 0.53 > np.mean(evaluation.graded_on_test)


def test_sets_are_disjoint_stratified_and_cover_every_bird_of_known_sex(evaluation):
    parts = (evaluation.train, evaluation.validation, evaluation.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(333))
    for part, share in zip(parts, (0.45, 0.15, 0.4)):
        counts = np.bincount(evaluation.labels[part])
        np.testing.assert_allclose(counts, share * np.array([165, 168]), atol=1.01)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_luck_of_the_training_set_comes_on_top(evaluation, seed):
    rng = np.random.default_rng(seed)
    train, test = np.split(rng.permutation(333), [150])
    right = ((evaluation.fit(train, n_steps=300)[-1] > 0) == evaluation.labels)[test]
    spread_of_test_birds = evaluation.bootstrap_interval(right, 2000, rng)[2].std()
    accuracies = [
        np.mean(
            (evaluation.fit(rng.choice(train, 150), n_steps=300)[-1] > 0)[test] == evaluation.labels[test]
        )
        for _ in range(30)
    ]
    assert 0.2 < np.std(accuracies) / spread_of_test_birds < 1


def test_multiplied_scores_keep_the_ranking_and_break_the_promises(evaluation):
    """On half of the birds, judged by a model of the other half."""
    order = np.random.default_rng(3).permutation(333)
    scores = evaluation.fit(order[:167])[-1][order[167:]]
    labels = evaluation.labels[order[167:]]
    losses = [np.logaddexp(0, np.where(labels == 1, -s, s)).mean() for s in (scores, 3 * scores)]
    areas = [evaluation.area(*evaluation.roc_curve(s, labels)[:2]) for s in (scores, 3 * scores)]
    assert areas[0] == pytest.approx(areas[1], rel=1e-12) and losses[1] > 1.2 * losses[0]


def test_bootstrap_needs_values(evaluation):
    with pytest.raises(ValueError, match="resamples of 0 values"):
        evaluation.bootstrap_interval(np.zeros(0), 10, np.random.default_rng(0))


@pytest.mark.parametrize("where", ["train", "test"])
def test_new_birds_get_the_probability_of_their_score(evaluation, where):
    for i in getattr(evaluation, where)[:5]:
        bird = dict(zip(evaluation.COLUMNS, map(str, evaluation.measurements[i])))  # text, as from a file
        assert evaluation.predict_male(bird) == pytest.approx(
            evaluation.probability(evaluation.scores[i]), rel=1e-10
        )


@pytest.mark.parametrize("name, column", [("bill_length_mm", 0), ("body_mass_g", 3)])
def test_new_birds_unlike_any_seen_are_refused(evaluation, name, column):
    seen = evaluation.measurements[evaluation.train][:, column]
    reach = (seen.max() - seen.min()) / 2
    for allowed in (seen.min() - 0.99 * reach, seen.max() + 0.99 * reach):
        assert 0 <= evaluation.predict_male({**evaluation.new_bird, name: allowed}) <= 1
    for value in (seen.min() - 1.01 * reach, seen.max() + 1.01 * reach, -1, nan, float("inf")):
        with pytest.raises(ValueError, match=f"{name} = .* unlike any bird"):
            evaluation.predict_male({**evaluation.new_bird, name: value})
    for value in ("NA", "", None, [3]):
        with pytest.raises(ValueError, match=f"{name} must be a number"):
            evaluation.predict_male({**evaluation.new_bird, name: value})
    with pytest.raises(ValueError, match=f"{name} is missing"):
        evaluation.predict_male({key: value for key, value in evaluation.new_bird.items() if key != name})


# 3.5 xor_numpy


def random_network(hidden_size, rng):
    return [rng.normal(size=shape) for shape in ((hidden_size, 2), (hidden_size,), (1, hidden_size), (1,))]


@pytest.mark.parametrize("hidden_size", [1, 4, 7])
@pytest.mark.parametrize("n", [1, 4, 13])
def test_network_matches_autograd(xor_numpy, hidden_size, n):
    rng = np.random.default_rng(n)
    parameters = random_network(hidden_size, rng)
    x, y = rng.normal(size=(n, 2)), rng.integers(2, size=n)
    hidden, scores = xor_numpy.forward(parameters, x)
    tensors = [torch.from_numpy(parameter).requires_grad_() for parameter in parameters]
    expected_hidden = torch.tanh(F.linear(torch.from_numpy(x), *tensors[:2]))
    expected_scores = F.linear(expected_hidden, *tensors[2:])[:, 0]
    loss = F.binary_cross_entropy_with_logits(expected_scores, torch.from_numpy(y).double())
    expected = [expected_hidden, expected_scores, loss, *torch.autograd.grad(loss, tensors)]
    ours = [
        hidden,
        scores,
        xor_numpy.loss_of(scores, y),
        *xor_numpy.backward(parameters, x, y, hidden, scores),
    ]
    for mine, theirs in zip(ours, expected, strict=True):
        assert np.shape(mine) == theirs.shape
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("n_networks, hidden_size", [(1, 1), (3, 5)])
def test_stack_matches_sgd_one_network_at_a_time(xor_numpy, activation, n_networks, hidden_size):
    rng = np.random.default_rng(0)
    networks = [random_network(hidden_size, rng) for _ in range(n_networks)]
    x, y = rng.normal(size=(7, 2)), rng.integers(2, size=7)
    stack = xor_numpy.stacked(networks)
    scores = xor_numpy.train_stack(stack, x, y, 30, 0.3, activation)
    for i, network in enumerate(networks):
        tensors = [torch.from_numpy(parameter).requires_grad_() for parameter in network]
        optimizer = torch.optim.SGD(tensors, lr=0.3)
        for step in range(31):
            hidden = getattr(torch, activation)(F.linear(torch.from_numpy(x), *tensors[:2]))
            expected = F.linear(hidden, *tensors[2:])[:, 0]
            if step < 30:
                loss = F.binary_cross_entropy_with_logits(expected, torch.from_numpy(y).double())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        np.testing.assert_allclose(scores[i], expected.detach(), rtol=1e-9, atol=1e-12)
        for ours, theirs in zip(stack, tensors, strict=True):
            np.testing.assert_allclose(ours[i], theirs.detach(), rtol=1e-9, atol=1e-12)


def test_loss_is_finite_at_hopeless_scores_and_names_the_shapes(xor_numpy):
    assert xor_numpy.loss_of(np.array([-1e4, 1e4]), np.array([1, 0])) == 1e4
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
        xor_numpy.loss_of(np.zeros((4, 1)), xor_numpy.y)


def test_starts_have_zero_biases_and_normal_weights(xor_numpy):
    weight1, bias1, weight2, bias2 = xor_numpy.initial(2000, np.random.default_rng(0))
    assert weight1.shape == (2000, 2) and weight2.shape == (1, 2000)
    assert not bias1.any() and not bias2.any() and bias1.shape == (2000,) and bias2.shape == (1,)
    for weight in (weight1, weight2):
        assert abs(weight.mean()) < 4 / np.sqrt(weight.size) and abs(weight.std() - 1) < 4 / np.sqrt(
            2 * weight.size
        )


def test_points_are_drawn_by_what_the_lamp_does(xor_numpy):
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    places = np.arange(8.0).reshape(4, 2)
    xor_numpy.draw_points(ax, places)
    drawn = {line.get_label(): (line.get_marker(), line.get_xydata()) for line in ax.lines}
    plt.close(fig)
    for name, marker, rows in (("off", "o", [0, 3]), ("on", "^", [1, 2])):
        assert drawn[name][0] == marker
        np.testing.assert_array_equal(drawn[name][1], places[rows])


def test_no_line_gets_four_points(xor_numpy):
    assert xor_numpy.points_right.max() == 3
    assert xor_numpy.linear_losses[-1] == pytest.approx(np.log(2), abs=1e-9)
    for w1, w2, b in np.random.default_rng(0).normal(size=(1000, 3)):
        assert np.sum((xor_numpy.x @ [w1, w2] + b > 0) == xor_numpy.y) <= 3


def test_the_network_gets_all_four_with_margin(xor_numpy):
    scores = xor_numpy.forward(xor_numpy.parameters, xor_numpy.x)[1]
    np.testing.assert_array_equal(scores > 0, [0, 1, 1, 0])
    assert np.abs(scores).min() > 3 and xor_numpy.losses[-1] < 0.01


def test_spare_neurons_make_success_likely(xor_numpy):
    """On starts that the lesson does not use."""
    rates = []
    for size in (1, 2, 4, 8):
        stack = xor_numpy.starts(size, range(500, 600), 1.0, 0.0)
        scores = xor_numpy.train_stack(stack, xor_numpy.x, xor_numpy.y, 1000, 1.0)
        rates.append(np.all((scores > 0) == xor_numpy.y, axis=1).mean())
    assert rates[0] == 0 and 0.35 < rates[1] < 0.65 and rates[2] > 0.9 and rates[3] > 0.97
    assert len(xor_numpy.stuck_losses["tanh"]) == 100 - xor_numpy.success[2]
    assert np.median(xor_numpy.stuck_losses["tanh"]) == pytest.approx(np.log(2) / 2, abs=0.01)


def test_dark_points_keep_failed_relu_runs_at_048(xor_numpy):
    stack = xor_numpy.starts(2, range(600, 700), 1.0, 0.0)
    scores = xor_numpy.train_stack(stack, xor_numpy.x, xor_numpy.y, 2000, 1.0, "relu")
    losses = np.mean(np.logaddexp(0, scores) - xor_numpy.y * scores, axis=1)
    hidden = np.maximum(xor_numpy.x @ stack[0].swapaxes(-1, -2) + stack[1][:, None], 0)
    at_three = np.abs(losses - 0.4774) < 0.01
    assert at_three.sum() > 20
    np.testing.assert_array_equal((hidden[at_three] == 0).all(axis=2).sum(axis=1), 3)


def test_starts_have_the_spreads_asked_for(xor_numpy):
    weight1, bias1, weight2, bias2 = xor_numpy.starts(50, range(20), 0.5, 2.0)
    assert weight1.shape == (20, 50, 2) and not bias2.any()
    for values, spread in ((weight1, 0.5), (bias1, 2.0), (weight2, 0.5)):
        assert values.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * values.size))


def test_the_slope_of_tanh_and_the_paper_example(xor_numpy):
    z = np.linspace(-3, 3, 13)
    measured = (np.tanh(z + 1e-6) - np.tanh(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(xor_numpy.ACTIVATIONS["tanh"][1](np.tanh(z)), measured, atol=1e-9)
    w = torch.tensor([np.log(3) / 2, 1.0], dtype=torch.float64, requires_grad=True)
    F.softplus(-(2 * torch.tanh(w @ torch.tensor([1.0, 0.0], dtype=torch.float64)) - 1)).backward()
    np.testing.assert_allclose(xor_numpy.paper_gradients[0][0], w.grad, atol=1e-12)


def test_noisy_points_have_the_corners_label(xor_numpy):
    x, y = xor_numpy.noisy_xor(4000, 0.1, np.random.default_rng(0))
    corners = np.round(x)
    assert np.mean((corners.sum(axis=1) == 1) == y) > 0.999
    assert (x - corners).std() == pytest.approx(0.1, rel=0.05)
    assert abs(y.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000) and abs(x[:, 0].mean() - 0.5) < 4 * 0.51 / np.sqrt(
        4000
    )
    assert 0.89 < xor_numpy.validation_accuracy < 0.97


def test_float32_stays_float32(training_loop, xor_numpy):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 2)).astype(np.float32), np.array([0, 1, 2, 1, 0])
    w = rng.normal(size=2).astype(np.float32)
    results = [*training_loop.logistic(w, np.float32(0.1), x, y % 2)]
    results += training_loop.softmax_regression(rng.normal(size=(3, 2)).astype(np.float32), w[:1], x, y)
    network = [p.astype(np.float32) for p in random_network(3, rng)]
    hidden, scores = xor_numpy.forward(network, x)
    results += [hidden, scores, xor_numpy.loss_of(scores, y % 2)]
    results += xor_numpy.backward(network, x, y % 2, hidden, scores)
    assert {np.asarray(result).dtype for result in results} == {np.dtype(np.float32)}


# 3.6 xor_pytorch


@pytest.mark.parametrize("hidden_size", [1, 5])
@pytest.mark.parametrize("n", [1, 7])
def test_the_three_spellings_agree(xor_pytorch, hidden_size, n):
    rng = np.random.default_rng(n)
    parameters = random_network(hidden_size, rng)
    x, y = rng.normal(size=(n, 2)), rng.integers(2, size=n).astype(np.float64)
    loss, gradients = xor_pytorch.numpy_gradients(parameters, x, y)
    tensors = [torch.from_numpy(parameter).clone().requires_grad_() for parameter in parameters]
    explicit = xor_pytorch.torch_loss(tensors, torch.from_numpy(x), torch.from_numpy(y))
    model = xor_pytorch.XorNetwork(hidden_size).double()
    with torch.no_grad():
        for theirs, ours in zip(model.parameters(), parameters, strict=True):
            theirs.copy_(torch.from_numpy(ours))
    library = F.binary_cross_entropy_with_logits(model(torch.from_numpy(x)), torch.from_numpy(y))
    for other, leaves in ((explicit, tensors), (library, list(model.parameters()))):
        assert loss == pytest.approx(other.item(), rel=1e-12)
        for ours, theirs in zip(gradients, torch.autograd.grad(other, leaves), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_numpy_and_torch_survive_hopeless_scores(xor_pytorch):
    parameters = [np.zeros((1, 2)), np.ones(1) * 20.0, np.full((1, 1), 1e4), np.zeros(1)]
    loss, gradients = xor_pytorch.numpy_gradients(parameters, xor_pytorch.x, xor_pytorch.y)
    assert loss == pytest.approx(5e3) and all(np.isfinite(gradient).all() for gradient in gradients)
    tensors = [torch.from_numpy(parameter) for parameter in parameters]
    assert xor_pytorch.torch_loss(tensors, xor_pytorch.inputs, xor_pytorch.targets).item() == pytest.approx(
        5e3
    )


def test_loss_curves_are_equal_at_every_step(xor_pytorch):
    assert len(xor_pytorch.numpy_losses) == xor_pytorch.n_steps
    np.testing.assert_allclose(xor_pytorch.explicit_losses, xor_pytorch.numpy_losses, rtol=0, atol=1e-9)
    np.testing.assert_allclose(xor_pytorch.torch_losses, xor_pytorch.numpy_losses, rtol=0, atol=1e-9)
    assert xor_pytorch.numpy_losses[-1] < 0.05 < 0.5 < xor_pytorch.numpy_losses[0]


@pytest.mark.parametrize("n_hidden", [1, 3])
def test_classifier_scales_what_it_is_given(xor_pytorch, n_hidden):
    center, spread = torch.tensor([40.0, 200.0]), torch.tensor([5.0, 10.0])
    model = xor_pytorch.PenguinClassifier(n_hidden, center, spread)
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(center + spread * x), model.layers(x), rtol=1e-4, atol=1e-4)
    for n in (0, 1, 7):
        assert model(x[:n]).shape == (n, 3)
    hidden = torch.tanh(F.linear(x, model.layers[0].weight, model.layers[0].bias))
    expected = F.linear(hidden, model.layers[2].weight, model.layers[2].bias)
    torch.testing.assert_close(model.layers(x), expected)
    assert sum(p.numel() for p in model.parameters()) == 3 * n_hidden + 3 * n_hidden + 3


def test_penguin_sets_are_disjoint_stratified_and_cover_everything(xor_pytorch):
    parts = [part.numpy() for part in (xor_pytorch.train, xor_pytorch.validation, xor_pytorch.test)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(342))
    counts = np.bincount(xor_pytorch.labels)
    for part, share in zip(parts, (0.3, 0.35, 0.35)):
        np.testing.assert_allclose(np.bincount(xor_pytorch.labels[part]), share * counts, atol=1.01)
    in_training = xor_pytorch.bird_x[xor_pytorch.train]
    torch.testing.assert_close(xor_pytorch.classifier.center, in_training.mean(dim=0))
    torch.testing.assert_close(xor_pytorch.classifier.spread, in_training.std(dim=0, correction=0))


def test_grade_matches_a_model_of_known_logits(xor_pytorch):
    model = xor_pytorch.PenguinClassifier(1, torch.zeros(2), torch.ones(2))
    known = {"layers.2.weight": torch.zeros(3, 1), "layers.2.bias": torch.tensor([9.0, 0, 0])}
    model.load_state_dict({**model.state_dict(), **known})
    loss, accuracy = xor_pytorch.grade(model, xor_pytorch.test)
    share = (xor_pytorch.bird_y[xor_pytorch.test] == 0).float().mean().item()
    assert accuracy == pytest.approx(share)
    assert loss == pytest.approx(np.log(np.exp(9) + 2) - 9 * share, rel=1e-5)


def test_fit_keeps_the_curves_and_the_best_epoch(xor_pytorch):
    model, curves, best_state = xor_pytorch.fit(4, seed=3, n_epochs=40)
    assert curves.shape == (40, 2)
    parts = (xor_pytorch.train, xor_pytorch.validation)
    assert curves[-1].tolist() == [xor_pytorch.grade(model, part)[0] for part in parts]
    best = xor_pytorch.PenguinClassifier(4, torch.zeros(2), torch.ones(2))
    best.load_state_dict(best_state)
    assert xor_pytorch.grade(best, xor_pytorch.validation)[0] == curves[:, 1].min()
    again, same_curves, _ = xor_pytorch.fit(4, seed=3, n_epochs=40)
    np.testing.assert_array_equal(curves, same_curves)
    assert torch.equal(model.layers[0].weight, again.layers[0].weight)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_large_network_overfits_on_other_splits_too(xor_pytorch, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    order = torch.from_numpy(rng.permutation(342))
    train, validation = order[:102], order[102:]
    x = xor_pytorch.bird_x
    for name, value in {
        "train": train,
        "validation": validation,
        "center": x[train].mean(dim=0),
        "spread": x[train].std(dim=0, correction=0),
    }.items():
        monkeypatch.setattr(xor_pytorch, name, value)
    _, curves, _ = xor_pytorch.fit(64, seed)
    assert curves[-1, 0] < curves[:, 1].min() and curves[-1, 1] > 1.15 * curves[:, 1].min()
    _, small_curves, _ = xor_pytorch.fit(1, seed, n_epochs=60)
    assert small_curves.min() > 1.5 * curves[:, 1].min()


def test_a_forgotten_set_up_is_an_error(xor_pytorch):
    with pytest.raises(AttributeError, match="__init__"):
        xor_pytorch.Forgetful()


def test_the_loaded_model_predicts_the_same(xor_pytorch):
    assert not xor_pytorch.path.exists()
    assert torch.equal(xor_pytorch.loaded.center, xor_pytorch.center)
    assert torch.equal(xor_pytorch.loaded(xor_pytorch.bird_x), xor_pytorch.classifier(xor_pytorch.bird_x))


# numbers of every kind


X, MORE, WEIGHT = (
    np.random.default_rng(0).integers(0, 5, shape).astype(float) for shape in [(6, 3), (2, 3), (3, 3)]
)
ZERO_ONE, CLASSES = np.array([0, 1, 1, 0, 1, 0]), np.array([0, 2, 1, 1, 2, 0])
SCORES = [3.0, 0, 1, 4, 2, 0]


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("dataset", lambda m, x: m.fit_scale(x), [X]),
        ("dataset", lambda m, x, new: m.nearest_mean(x, CLASSES, new), [X, MORE]),
        ("measuring_loss", lambda m, z: m.sigmoid(z), [SCORES]),
        ("measuring_loss", lambda m, z: m.squared_error(z, ZERO_ONE), [SCORES]),
        ("measuring_loss", lambda m, z: m.logistic_loss(z, ZERO_ONE), [SCORES]),
        ("measuring_loss", lambda m, p: m.cross_entropy(p, np.array([0, 1])), [[[1.0, 0], [0, 1]]]),
        ("training_loop", lambda m, z: m.sigmoid(z), [SCORES]),
        ("training_loop", lambda m, z: m.softmax(z), [X]),
        ("training_loop", lambda m, w, x: m.logistic(w, 1.0, x, ZERO_ONE), [[1.0, 0, 2], X]),
        (
            "training_loop",
            lambda m, w, b, x: m.softmax_regression(w, b, x, CLASSES),
            [WEIGHT, [1.0, 0, 2], X],
        ),
        ("evaluation", lambda m, z: m.probability(z), [SCORES]),
        ("evaluation", lambda m, z: m.roc_curve(z, ZERO_ONE)[:2], [SCORES]),
        ("evaluation", lambda m, z: m.pairwise_ranking(z, ZERO_ONE), [SCORES]),
        ("evaluation", lambda m, z: m.bootstrap_interval(z, 9, np.random.default_rng(0))[:2], [SCORES]),
        ("evaluation", lambda m, z: m.grades(z), [WEIGHT + 1]),
        ("xor_numpy", lambda m, w, x: m.forward([w, w[0], w[:1], w[0, :1]], x), [WEIGHT, X]),
        ("xor_numpy", lambda m, z: m.loss_of(z, ZERO_ONE), [SCORES]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays, float32=stem != "evaluation")


@pytest.mark.parametrize(
    "settings",
    [{"n_epochs": 0}, {"n_epochs": 1, "learning_rate": 0.0}, {"n_epochs": 2, "learning_rate": 1e30}],
)
def test_fit_keeps_a_state_at_any_setting(xor_pytorch, settings):
    """No epoch, no step, or nothing but NaN: the start is what is kept."""
    model, curves, best = xor_pytorch.fit(3, 0, batch_size=37, **settings)
    torch.manual_seed(0)
    start = xor_pytorch.PenguinClassifier(3, xor_pytorch.center, xor_pytorch.spread).state_dict()
    assert curves.shape == (settings["n_epochs"], 2) and best.keys() == start.keys()
    assert settings.get("learning_rate") == 1e30 or all(
        torch.equal(best[name], start[name]) for name in start
    )


def test_descent_takes_settings_at_the_edge(measuring_loss, evaluation, xor_numpy):
    """No step, a rate of zero or of a hundred: in each lesson's own loop."""
    loss = measuring_loss.logistic_loss
    for rate, n_steps in ((0.1, 0), (0.0, 2), (100.0, 2)):
        path, losses = measuring_loss.descend(loss, 1.0, 1.0, rate, n_steps)
        assert len(path) == len(losses) == n_steps + 1 and np.isfinite(path).all()
        weight, bias, *_, scores = evaluation.fit(evaluation.train, n_steps=n_steps, learning_rate=rate)
        assert np.isfinite(scores).all() and (rate * n_steps > 0) == bool(np.any(weight != 0))
        parameters = xor_numpy.initial(3, np.random.default_rng(0))
        first = xor_numpy.loss_of(xor_numpy.forward(parameters, xor_numpy.x)[1], xor_numpy.y)
        losses = xor_numpy.train(parameters, xor_numpy.x, xor_numpy.y, n_steps, rate)
        assert losses[:1] == [first][:n_steps] and np.isfinite(losses).all()
        for activation in xor_numpy.ACTIVATIONS:
            stack = xor_numpy.starts(3, range(2), 1.0, 0.0)
            scores = xor_numpy.train_stack(stack, xor_numpy.x, xor_numpy.y, n_steps, rate, activation)
            assert scores.shape == (2, 4) and np.isfinite(scores).all()


def test_one_resample_is_enough(evaluation):
    assert evaluation.bootstrap_interval(np.ones(3), 1, np.random.default_rng(0))[:2] == (1, 1)


@pytest.mark.parametrize(
    "stem, call, says",
    [
        ("training_loop", lambda m, rng: m.train(np.ones((4, 2)), np.ones(4), 0, 0.1, 1, rng), "got 0"),
        ("training_loop", lambda m, rng: m.train(np.ones((4, 2)), np.ones(4), -1, 0.1, 1, rng), "got -1"),
        ("dataset", lambda m, rng: m.minibatches(5, -1, rng), "batch_size must be at least 1, got -1"),
        ("dataset", lambda m, rng: m.shuffled_split(5, (), rng), "sum to 1, got"),
        ("evaluation", lambda m, rng: m.bootstrap_interval(np.ones(3), 0, rng), "0 resamples of 3 values"),
        ("evaluation", lambda m, rng: m.bootstrap_interval(np.ones(0), 9, rng), "9 resamples of 0 values"),
        ("evaluation", lambda m, rng: m.bootstrap_interval(np.ones(3), 9, rng, 95), "range"),
        ("xor_numpy", lambda m, rng: m.noisy_xor(4, -0.1, rng), "scale < 0"),
    ],
)
def test_impossible_settings_are_named(lesson, stem, call, says):
    with pytest.raises(ValueError, match=says):
        call(lesson(stem), np.random.default_rng(0))


@pytest.mark.parametrize(
    "batch_size, learning_rate, n_epochs", [(64, 0.1, 0), (5, 0.0, 1), (64, 100.0, 1), (1, 0.1, 1)]
)
def test_training_takes_settings_at_the_edge(training_loop, batch_size, learning_rate, n_epochs):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)), np.arange(12) % 2
    models = training_loop.train(x, y, batch_size, learning_rate, n_epochs, rng)
    assert len(models) == n_epochs + 1
    assert all(np.isfinite(w).all() and np.isfinite(b) for w, b in models)


# benchmarks


@pytest.mark.benchmark(group="-")
@pytest.mark.parametrize("batch_size", [1, 16, 256, 4096])
@pytest.mark.parametrize("implementation", ["numpy", "torch, explicit", "torch, library"])
def test_softmax_step_speed(training_loop, benchmark, timed, device, implementation, batch_size):
    """The rows of the lesson's figure: one step of softmax regression, by batch size."""
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    benchmark.group = f"step of softmax regression, batch {batch_size}, float64"
    x = np.resize(training_loop.x_train, (batch_size, 2))
    y = np.resize(training_loop.y_train, batch_size)
    weight, bias = training_loop.weight, training_loop.bias
    expected = training_loop.softmax_regression(weight, bias, x, y)[0]
    inputs, targets = torch.tensor(x, device=device), torch.tensor(y, device=device)
    model = torch.nn.Linear(2, 3, dtype=torch.float64, device=device)
    model.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    rows, (matrix, offset) = torch.arange(batch_size, device=device), (p.detach() for p in model.parameters())

    def explicit():
        logits = inputs @ matrix.T + offset
        total = torch.logsumexp(logits, dim=1, keepdim=True)
        loss = (total[:, 0] - logits[rows, targets]).mean()
        error = (logits - total).exp()
        error[rows, targets] -= 1
        error /= batch_size
        matrix.sub_(0.0 * (error.T @ inputs))
        offset.sub_(0.0 * error.sum(dim=0))
        return loss

    def library():
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    flops = batch_size * 3 * 2 * 2 * 2  # two products of 2 by 3 numbers a bird
    if implementation == "numpy":
        loss = timed(
            training_loop.training_step,
            weight.copy(),
            bias.copy(),
            x,
            y,
            0.0,
            flops=flops,
            dtype=torch.float64,
        )
    else:
        loss = timed(
            explicit if "explicit" in implementation else library, flops=flops, dtype=torch.float64
        ).item()
    assert loss == pytest.approx(expected, rel=1e-10)


@pytest.mark.benchmark(group="-")
@pytest.mark.parametrize("batch_size", [4, 4096])
@pytest.mark.parametrize("implementation", ["numpy", "torch, explicit", "torch, library"])
def test_xor_step_speed(xor_numpy, benchmark, timed, device, implementation, batch_size):
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    benchmark.group = f"step of the 2-4-1 XOR network, batch {batch_size}, float64"
    parameters = random_network(4, np.random.default_rng(0))
    x, y = np.resize(xor_numpy.x, (batch_size, 2)), np.resize(xor_numpy.y, batch_size)
    expected = xor_numpy.loss_of(xor_numpy.forward(parameters, x)[1], y)
    inputs, targets = torch.tensor(x, device=device), torch.tensor(y, dtype=torch.float64, device=device)
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    with torch.no_grad():
        for theirs, ours in zip(model.parameters(), parameters, strict=True):
            theirs.copy_(torch.from_numpy(ours))
    model = model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    weight1, bias1, weight2, bias2 = tensors = [p.detach() for p in model.parameters()]

    def explicit():
        hidden = torch.tanh(inputs @ weight1.T + bias1)
        scores = (hidden @ weight2.T + bias2)[:, 0]
        loss = (F.softplus(scores) - targets * scores).mean()
        delta = ((scores.sigmoid() - targets) / batch_size)[:, None]
        sums_grad = delta @ weight2 * (1 - hidden * hidden)
        gradients = [sums_grad.T @ inputs, sums_grad.sum(dim=0), delta.T @ hidden, delta.sum(dim=0)]
        for tensor, gradient in zip(tensors, gradients):
            tensor.sub_(0.0 * gradient)
        return loss

    def library():
        loss = F.binary_cross_entropy_with_logits(model(inputs)[:, 0], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    flops = batch_size * 2 * (2 * 8 + 3 * 4)  # products with (4, 2) twice and with (1, 4) three times a point
    if implementation == "numpy":
        loss = timed(xor_numpy.train, parameters, x, y, 1, 0.0, flops=flops, dtype=torch.float64)[0]
    else:
        step = explicit if "explicit" in implementation else library
        loss = timed(step, flops=flops, dtype=torch.float64).item()
    assert loss == pytest.approx(expected, rel=1e-10)
