"""Chapter 5: what the lessons computed, and how fast their kernels are."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "perceptron": [
        {
            "change": {"weight = weight + y * x": "weight = weight + 0.1 * y * x"},
            "figure": 1,
            "prints": "mistakes in each pass: [4, 2, 0]",
        },
        {
            "change": {"[points, np.ones(len(points))]": "[points, np.zeros(len(points))]"},
            "figure": 1,
            "prints": "0]",
        },
        {
            "add": """
products = corners[:, :1] * corners[:, 1:]  # (4, 1)
three_inputs = np.column_stack([with_bias(corners), products])  # (4, 4)
solved_history, _, solved_mistakes = perceptron(three_inputs, xor, n_epochs=1000)
print(f"with the product {len(solved_history) - 1} updates, in the last pass {solved_mistakes[-1]}")
assert np.all(xor * (three_inputs @ solved_history[-1]) > 0)
""",
            "prints": "in the last pass 0",
        },
    ],
    "activations": [
        {
            "change": {"slopes < 0.01 * largest_slope": "slopes < 0.1 * largest_slope"},
            "figure": 2,
            "prints": "ReLU                    47%    47%",
        },
        {
            "change": {"stacked = torch.stack(parts)": "stacked = 4 * torch.stack(parts)"},
            "figure": 3,
            "prints": "sigmoid                 0.3",
        },
        {
            "add": """
parameters, _ = train(torch.sigmoid, (best_rate["sigmoid"],), seeds, n_epochs=36)
longer = accuracies(parameters, torch.sigmoid, test_x, test_y)
print("sigmoid after 36 epochs", longer.round(3), "tanh after 12", test["tanh"].round(3))
print("reads more digits than after 12 epochs:", longer.mean() > test["sigmoid"].mean() + 0.1)
""",
            "prints": "reads more digits than after 12 epochs: True",
        },
    ],
    "universal_approximation": [
        {
            "change": {"STEEPNESS = 100 ": "STEEPNESS = 3 "},
            "figure": 2,
        },
        {
            "change": {
                "return np.sin(2 * np.pi * x) + 0.5 * x * np.cos(5 * np.pi * x)": "return np.sqrt(np.abs(x))"
            },
            "figure": 2,
        },
        {
            "add": """
weight, bias = rng.normal(size=(2, 50))
columns = np.column_stack([(fine[:, None] * weight + bias) ** 2, np.ones(len(fine))])  # (20001, 51)
solution = np.linalg.lstsq(columns, curve(fine), rcond=1e-10)[0]  # (51,)
fitted_squares = network(fine, np.square, weight, bias, solution[:-1], solution[-1])
parabola = np.polyval(np.polyfit(fine, curve(fine), 2), fine)
print(f"fifty squares against a parabola: {np.max(np.abs(fitted_squares - parabola)):.4f}")
""",
            "prints": "fifty squares against a parabola: 0.0000",
        },
    ],
    "forward_pass": [
        {
            "change": {"sizes = (64, 32, 16, 10)  #": "sizes = (64, 128, 10)  #"},
            "figure": 1,
            "prints": "9610 parameters",
        },
        {"change": {"one = images[test][3:4]  #": "one = images[test][3:4, ::-1]  #"}, "figure": 1},
        {
            "add": """
without = []
for neuron in range(sizes[1]):
    (weight, bias), *later = weights_of(trained[0])
    weight = weight.copy()
    bias = bias.copy()
    weight[neuron] = 0
    bias[neuron] = 0
    read = forward(images[test], [(weight, bias), *later]).argmax(axis=1)
    without.append(np.mean(read == labels[test]))
print(f"with all neurons {test_accuracy:.3f}, without neuron {np.argmin(without)} {min(without):.3f}")
print("worse without it:", min(without) < test_accuracy)
""",
            "prints": "worse without it: True",
        },
    ],
    "loss_functions": [
        {
            "change": {"start_weight = np.array([-8.0, 8.0])": "start_weight = np.array([-2.0, 2.0])"},
            "figure": 3,
            "prints": "step 4999: 100.0%",
        },
        {"change": {"true_b = 4.0": "true_b = 0.5"}, "figure": 1},
        {
            "add": """
log_estimates = []
for _ in range(300):
    food = rng.uniform(size=50)
    logs = np.log1p(rng.poisson(np.exp(true_b * food)))  # (50,)
    gaps = logs - grid[:, None] * food  # (601, 50): what the intercept has to explain
    log_estimates.append(grid[np.var(gaps, axis=1).argmin()])  # the best intercept is the mean of the gaps
print(f"logarithms: mean {np.mean(log_estimates):.3f}, standard deviation {np.std(log_estimates):.3f}")
print("right on average:", abs(np.mean(log_estimates) - true_b) < 0.1)
""",
            "prints": "right on average: False",
        },
    ],
    "mlp_numpy": [
        {
            "change": {"grad_z1 = grad_hidden * (self.hidden > 0)  #": "grad_z1 = grad_hidden  #"},
            "prints": "bias2                         10         ",
            "raises": "weight1: the gradient is not the measured slope",
        },
        {
            "change": {"bound = 1 / math.sqrt(columns)": "bound = 0.0"},
            "figure": 1,
            "prints": "always the most common test digit",
        },
        {
            "add": """
shuffled_labels = rng.permutation(labels[train])
memory = MLP(64, n_hidden, 10, np.random.default_rng(1))
shuffled_losses = []
for _ in range(4 * n_epochs):
    run_epoch(memory, images[train], shuffled_labels, 0.3, batch_size, rng)
    shuffled_losses.append(evaluate(memory, images[train], shuffled_labels)[0])
shuffled_accuracy = evaluate(memory, images[validation], labels[validation])[1]
print(f"loss {shuffled_losses[0]:.3f} to {shuffled_losses[-1]:.3f}, validation {shuffled_accuracy:.1%}")
print("learned by heart:", shuffled_losses[-1] < 0.7 * shuffled_losses[0], shuffled_accuracy < 0.2)
""",
            "prints": "learned by heart: True True",
        },
    ],
}


@pytest.fixture
def perceptron(lesson):
    return lesson("perceptron")


@pytest.fixture
def activations(lesson):
    return lesson("activations")


@pytest.fixture
def universal_approximation(lesson):
    return lesson("universal_approximation")


@pytest.fixture
def forward_pass(lesson):
    return lesson("forward_pass")


@pytest.fixture
def loss_functions(lesson):
    return lesson("loss_functions")


@pytest.fixture
def mlp_numpy(lesson):
    return lesson("mlp_numpy")


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
    small_u, small_margin, small_ceiling = perceptron.widest_margin(x / 1024, y, n_steps=20_000)
    np.testing.assert_allclose(small_u, u, rtol=1e-10, atol=1e-12)  # the unit of length plays no part
    np.testing.assert_allclose([small_margin, small_ceiling], [margin / 1024, ceiling / 1024], rtol=1e-10)


def test_no_margin_where_the_classes_meet(perceptron):
    x, y = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, -1])
    u, margin, ceiling = perceptron.widest_margin(x, y, n_steps=10)
    assert ceiling == 0 and margin == 0 and not u.any()


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


def test_limits_leave_a_little_room(perceptron):
    assert perceptron.limits(np.array([3.0, -1.0, 1.0])) == pytest.approx((-1.24, 3.24))


def test_classes_are_drawn_under_their_own_names(perceptron):
    points, is_positive = np.arange(10.0).reshape(5, 2), np.array([True, False, False, True, False])
    fig, ax = plt.subplots()
    perceptron.draw_classes(ax, points, is_positive, ("no", "yes"))
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    plt.close(fig)
    np.testing.assert_array_equal(drawn["no"], points[~is_positive])
    np.testing.assert_array_equal(drawn["yes"], points[is_positive])


def test_perceptron_names_the_fault(perceptron):
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(4,\)"):
        perceptron.perceptron(np.ones((3, 2)), np.ones(4), 1)
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 1\)"):
        perceptron.perceptron(np.ones((3, 2)), np.ones((3, 1)), 1)
    with pytest.raises(ValueError, match="0 1"):
        perceptron.perceptron(np.ones((2, 2)), np.array([0, 1]), 1)
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(1,\)"):
        perceptron.widest_margin(np.ones((3, 2)), np.ones(1), 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_perceptron_takes_whole_numbers_and_keeps_float32(perceptron, dtype):
    x, y = np.array([[3, 0, 1], [0, 2, 1], [1, 1, 1]], dtype=dtype), np.array([1, -1, 1])
    kept = x.copy()
    history, updated_by, _ = perceptron.perceptron(x, y, n_epochs=20)
    expected, expected_updated_by, _ = perceptron.perceptron(x.astype(float), y, n_epochs=20)
    np.testing.assert_array_equal(history, expected)
    assert updated_by == expected_updated_by
    assert history.dtype == (np.float32 if dtype in (np.float32, np.uint8) else np.float64)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_allclose(
        perceptron.widest_margin(x, y, 100)[1], perceptron.widest_margin(x.astype(float), y, 100)[1]
    )


def test_no_examples_no_mistakes(perceptron):
    history, updated_by, mistakes = perceptron.perceptron(np.zeros((0, 3)), np.zeros(0), n_epochs=5)
    assert history.shape == (1, 3) and updated_by == [] and mistakes == [0]
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        perceptron.widest_margin(np.zeros((0, 3)), np.zeros(0), 1)


def test_rule_finds_what_random_directions_find(perceptron):
    """The margin of the lesson's random search is a margin, and not above the exact one's ceiling."""
    vectors = perceptron.features * perceptron.signs[:, None]
    assert np.linalg.norm(perceptron.best_direction) == pytest.approx(1)
    assert perceptron.margin == pytest.approx(np.min(vectors @ perceptron.best_direction))
    assert 0.9 * perceptron.exact_margin < perceptron.margin <= perceptron.ceiling
    assert perceptron.mixed_ceiling < 1e-12 < perceptron.exact_margin
    assert {name: int(np.sum(perceptron.labels == i)) for i, name in enumerate(perceptron.SPECIES)} == {
        "Adelie": 151,
        "Chinstrap": 68,
        "Gentoo": 123,
    }
    points, signs = perceptron.two_species("Adelie", "Chinstrap")
    assert (signs > 0).sum() == 68 and (signs < 0).sum() == 151
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-12)
    assert points[signs > 0, 0].mean() > points[signs < 0, 0].mean() + 5  # chinstraps have the longer bills


def test_linear_layer_decides_the_same(perceptron):
    np.testing.assert_array_equal(perceptron.decisions, perceptron.torch_decisions)
    assert perceptron.decisions.any() and not perceptron.decisions.all()


# 5.2 activations

LIBRARY = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "leaky ReLU": F.leaky_relu,
    "GELU": F.gelu,
    "GELU (tanh)": lambda x: F.gelu(x, approximate="tanh"),
    "SiLU": F.silu,
}


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("shape, scale", [((1,), 1.0), ((7, 3), 3.0), ((2, 5, 3), 50.0), ((11,), 1e4)])
def test_activation_and_slope_match_autograd(activations, name, shape, scale):
    rng = np.random.default_rng(len(shape))
    x, cotangent = rng.normal(scale=scale, size=shape), rng.normal(size=shape)
    u = torch.from_numpy(x).requires_grad_()
    expected = LIBRARY[name](u)
    (expected * torch.from_numpy(cotangent)).sum().backward()
    function, slope, _ = activations.activations[name]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ours, grad = function(x), cotangent * slope(x)
    assert ours.shape == grad.shape == shape
    np.testing.assert_allclose(ours, expected.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad, u.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LIBRARY)
def test_slope_at_zero_matches_autograd(activations, name):
    u = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    LIBRARY[name](u).sum().backward()
    assert activations.activations[name][1](np.zeros(1)).item() == pytest.approx(u.grad.item(), abs=1e-15)


def test_step_matches_heaviside_and_has_no_slope(activations):
    x = np.array([-1e4, -0.5, 0.0, 0.5, 1e4])
    np.testing.assert_array_equal(activations.step(x), [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(activations.step_slope(x), np.zeros(5))
    torch_step, _ = activations.candidates["step"]
    torch.testing.assert_close(torch_step(torch.from_numpy(x)), torch.tensor([0.0, 0, 0, 1, 1]).double())


def test_fast_sigmoid_matches_torch(activations):
    x = np.concatenate([[-1e4, 0, 1e4], np.random.default_rng(0).normal(scale=5, size=101)])
    ours = activations.fast_sigmoid(x)
    np.testing.assert_allclose(ours, torch.sigmoid(torch.from_numpy(x)), rtol=1e-10, atol=1e-12)
    assert activations.fast_sigmoid(x.astype(np.float32)).dtype == np.float32


def test_functions_keep_float32(activations):
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for function, slope, theirs in activations.activations.values():
        assert function(x).dtype == slope(x).dtype == np.float32
        np.testing.assert_allclose(function(x), theirs(torch.from_numpy(x)), rtol=1e-5, atol=1e-6)
    assert activations.softmax(x).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.int64, np.int8])
def test_functions_take_whole_numbers(activations, dtype):
    x = np.array([-5, -2, 0, 1, 40], dtype=dtype)
    rtol = 1e-3 if dtype == np.int8 else 1e-10  # np.tanh of int8 is float16
    for name, (function, slope, _) in activations.activations.items():
        for ours in (function, slope):
            np.testing.assert_allclose(
                ours(x), ours(x.astype(np.float64)), rtol=rtol, atol=1e-6, err_msg=name
            )
    np.testing.assert_allclose(activations.softmax(x), activations.softmax(x.astype(float)), rtol=1e-5)
    unsigned = np.array([1, 5, 200], dtype=np.uint8)
    np.testing.assert_allclose(activations.sigmoid(unsigned), activations.sigmoid([1.0, 5, 200]), rtol=1e-6)
    np.testing.assert_allclose(activations.softmax(unsigned), activations.softmax([1.0, 5, 200]), atol=1e-6)


@pytest.mark.parametrize("shape, scale", [((1,), 1.0), ((1, 1), 1.0), ((7, 10), 3.0), ((2, 3, 5), 1e4)])
def test_softmax_matches_autograd(activations, shape, scale):
    rng = np.random.default_rng(len(shape))
    x, cotangent = rng.normal(scale=scale, size=shape), rng.normal(size=shape)
    u = torch.from_numpy(x).requires_grad_()
    expected = F.softmax(u, dim=-1)
    (expected * torch.from_numpy(cotangent)).sum().backward()
    np.testing.assert_allclose(activations.softmax(x), expected.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(activations.softmax_backward(x, cotangent), u.grad, rtol=1e-10, atol=1e-12)


def test_softmax_backward_names_the_shapes(activations):
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 1\)"):
        activations.softmax_backward(np.ones((3, 2)), np.ones((3, 1)))
    assert activations.softmax(np.zeros((0, 3))).shape == (0, 3)


def test_saturated_share_counts(activations):
    assert activations.saturated_share(np.array([1.0, 0.011, 0.009, 0.0]), 1.0) == 0.5
    assert activations.saturated_share(np.array([0.0026, 0.0024]), 0.25) == 0.5
    saturates_at = 2 * np.arccosh(5.0)  # where sigmoid's slope is 1 / 4 · 1 / 5²
    slopes = activations.sigmoid_slope(np.array([saturates_at, 2 * np.arccosh(10.1), 2 * np.arccosh(9.9)]))
    assert slopes[0] == pytest.approx(0.25 / 25)
    assert activations.saturated_share(slopes, 0.25) == pytest.approx(1 / 3)


def test_networks_side_by_side_match_one_at_a_time(activations):
    """Each network of the stack is what nn.Sequential and torch.optim.SGD make of its seed and rate."""
    rates, seeds = (0.1, 0.3), (5, 6)
    stacked, never_on = activations.train(torch.relu, rates, seeds, n_epochs=1)
    accuracies = activations.accuracies(stacked, torch.relu, activations.test_x, activations.test_y)
    for i, (rate, seed) in enumerate((rate, seed) for rate in rates for seed in seeds):
        torch.manual_seed(seed)
        layers = [nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)]
        model = nn.Sequential(*layers)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
        for batch in order.split(32):
            loss = F.cross_entropy(model(activations.train_x[batch]), activations.train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for ours, theirs in zip(stacked, model.parameters(), strict=True):
            torch.testing.assert_close(ours[i].view_as(theirs), theirs, rtol=1e-3, atol=1e-4)
        right = (model(activations.test_x).argmax(dim=1) == activations.test_y).float().mean().item()
        assert accuracies[i] == pytest.approx(right, abs=0.01)
        for mask, depth in zip(never_on[0], (2, 4)):
            outputs = model[:depth](activations.train_x)
            assert torch.equal(mask[i], (outputs == 0).all(dim=0))


def test_flat_activations_do_not_train(activations):
    """Under the step function the hidden layers stay as drawn; the others leave it behind."""
    start = activations.start_networks((0,), 1)
    trained, _ = activations.train(activations.candidates["step"][0], (0.2,), (0,), n_epochs=1)
    for before, after in zip(start[:4], trained[:4]):
        assert torch.equal(before, after)
    assert not torch.equal(start[4], trained[4])
    mean = {name: shares.mean() for name, shares in activations.test.items()}
    for name in ("tanh", "ReLU", "leaky ReLU", "GELU"):
        assert mean[name] > mean["sigmoid"] + 0.1 > mean["step"] + 0.12
    for name, (_, rates) in activations.candidates.items():
        best = activations.validation[name].mean(axis=1).argmax()
        assert activations.best_rate[name] == rates[best] and 0 < best < len(rates) - 1


def test_first_gradient_is_autograds(activations):
    lengths = []
    for seed in activations.seeds:
        torch.manual_seed(seed)
        layers = [nn.Linear(64, 32), nn.Sigmoid(), nn.Linear(32, 32), nn.Sigmoid(), nn.Linear(32, 10)]
        model = nn.Sequential(*layers)
        F.cross_entropy(model(activations.train_x), activations.train_y).backward()
        lengths.append(model[0].weight.grad.norm().item())
    assert activations.first_gradient(torch.sigmoid) == pytest.approx(np.mean(lengths), rel=1e-3)


def test_dead_units_wake_in_the_second_layer_only(activations):
    first, second = activations.n_dead[0], activations.n_dead[1]
    assert first[0].sum() > 0 == first[1].sum()
    assert second[1].sum() > 10
    assert (first[2] >= first[0]).all()  # what was dead stays dead
    assert not (activations.share_on[0] == 0).all() and (activations.share_on[1] == 0).mean() > 0.4


def test_tanh_saturates_at_half_the_size(activations):
    np.testing.assert_allclose(
        activations.saturated["tanh"][:-1], activations.saturated["sigmoid"][1:], atol=0.01
    )
    one_sign = activations.one_sign
    assert one_sign["sigmoid"][0] == one_sign["ReLU"][0] == 1 and one_sign["tanh"] == [0, 0]
    assert one_sign["sigmoid"][1] > 0.5 and one_sign["ReLU"][1] < 0.05  # in a batch


# 5.3 universal_approximation


@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (2, 7, 1), (5, 1, 3, 11)])
def test_collapse_matches_a_stack_of_linear_layers(universal_approximation, sizes):
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(a, b, dtype=torch.float64) for a, b in zip(sizes, sizes[1:])])
    layers = [(linear.weight.detach().numpy(), linear.bias.detach().numpy()) for linear in model]
    x = np.random.default_rng(0).normal(size=(7, sizes[0]))
    weight, bias = universal_approximation.collapse(layers)
    assert weight.shape == (sizes[-1], sizes[0])
    expected = model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(x @ weight.T + bias, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n, width", [(1, 1), (7, 1), (5, 11)])
def test_network_matches_torch(universal_approximation, n, width):
    rng = np.random.default_rng(width)
    x, (weight, bias, out_weight), out_bias = rng.normal(size=n), rng.normal(size=(3, width)), rng.normal()
    for ours, theirs in (
        (universal_approximation.sigmoid, torch.sigmoid),
        (universal_approximation.relu, torch.relu),
    ):
        hidden = theirs(F.linear(torch.tensor(x)[:, None], torch.tensor(weight)[:, None], torch.tensor(bias)))
        expected = F.linear(hidden, torch.tensor(out_weight)[None], torch.from_numpy(np.array([out_bias])))[
            :, 0
        ]
        mine = universal_approximation.network(x, ours, weight, bias, out_weight, out_bias)
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-12)


def test_sigmoid_is_stable(universal_approximation):
    x = np.array([-1e4, -3.0, 0.0, 2.0, 1e4])
    with np.errstate(over="raise", invalid="raise"):
        ours = universal_approximation.sigmoid(x)
    np.testing.assert_allclose(ours, torch.sigmoid(torch.from_numpy(x)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_staircase_stands_at_the_middles(universal_approximation, n):
    middles = (np.arange(n) + 0.5) / n
    weights = universal_approximation.staircase(np.cos, n)
    assert all(len(part) == n - 1 for part in weights[:3])
    heights = universal_approximation.network(middles, universal_approximation.sigmoid, *weights)
    np.testing.assert_allclose(heights, np.cos(middles), rtol=1e-10, atol=1e-12)
    edges = np.arange(1, n) / n
    on_edge = universal_approximation.network(edges, universal_approximation.sigmoid, *weights)
    np.testing.assert_allclose(on_edge, (np.cos(middles[1:]) + np.cos(middles[:-1])) / 2, rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_straight_pieces_match_linear_interpolation(universal_approximation, n):
    x, knots = np.linspace(0, 1, 101), np.linspace(0, 1, n + 1)
    weights = universal_approximation.straight_pieces(np.exp, n)
    ours = universal_approximation.network(x, universal_approximation.relu, *weights)
    np.testing.assert_allclose(ours, np.interp(x, knots, np.exp(knots)), rtol=1e-10, atol=1e-12)


def test_bump_and_tower_stand_where_they_should(universal_approximation):
    x = np.array([0.1, 0.3, 0.45, 0.6, 0.9])
    np.testing.assert_allclose(universal_approximation.bump(x, 0.3, 0.6, 1e3), [0, 0.5, 1, 0.5, 0], atol=1e-9)
    centres = (np.arange(3) + 0.5) / 3
    x, y = centres[:2], centres  # not square
    heights = universal_approximation.towers(lambda u, v: 1 + 2 * u + v * v, 3, x, y)
    np.testing.assert_allclose(heights, 1 + 2 * x[:, None] + y * y, rtol=1e-4)


def test_errors_fall_at_the_predicted_rates(universal_approximation):
    assert universal_approximation.rates["staircase"] == pytest.approx(-1, abs=0.05)
    assert universal_approximation.rates["straight pieces"] == pytest.approx(-2, abs=0.05)
    f = universal_approximation.curve

    def slope(x):
        return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5

    x = np.linspace(1e-4, 1 - 1e-4, 5001)
    assert universal_approximation.steepest == pytest.approx(np.abs(slope(x)).max(), rel=1e-3)
    bend = (slope(x + 1e-4) - slope(x - 1e-4)) / 2e-4
    assert universal_approximation.sharpest == pytest.approx(np.abs(bend).max(), rel=1e-2)


def test_training_does_not_find_what_exists(universal_approximation):
    errors, trained = (
        universal_approximation.errors["straight pieces"],
        universal_approximation.trained_errors,
    )
    assert trained[4].min() < errors[0]  # knots that move beat knots that do not
    assert trained[64].min() > 5 * errors[4]
    assert 0.02 < trained[64].max() < 0.5  # and yet it learned
    assert universal_approximation.outside.min() > 5 * trained[64].max()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_stacked_blocks_are_blocks_in_a_row(universal_approximation, k):
    lesson = universal_approximation
    block = lesson.start((1, 3, 1), 4, seed=k)
    x = torch.rand(11, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stacked = lesson.stack(block, k)
    assert [p.shape[1:] for p in stacked[::2]] == [(3, 1), *[(3, 3)] * (k - 1), (1, 3)]
    h = x
    for _ in range(k):
        h = lesson.forward(block, h)
    torch.testing.assert_close(lesson.forward(stacked, x), h)
    for i in range(4):
        torch.testing.assert_close(lesson.as_model(stacked, i)(x), h[i])


def test_tents_double_their_pieces(universal_approximation):
    lesson = universal_approximation
    x = torch.linspace(0, 1, 1025, dtype=torch.float64)[:, None]
    for k in (1, 3, 6):
        by_hand = lesson.forward(lesson.stack(lesson.tent_block, k), x)[0]
        torch.testing.assert_close(by_hand, lesson.tents(x, k), rtol=0, atol=1e-10)
        bends = torch.diff(lesson.tents(x, k)[:, 0], n=2).abs() > 1e-6
        assert int(bends.sum()) == 2**k - 1
        assert int(by_hand.max() == 1)


def test_pieces_are_counted(universal_approximation):
    """Each knot inside the range makes one piece more; a knot outside, or a dead neuron, none."""
    model = universal_approximation.make_mlp((1, 4, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0], [-1.0], [0.0]]))
        model[0].bias.copy_(torch.tensor([0.5, -1.0, -3.0, -1.0]))  # knots at -0.5 and 0.5, 3 is outside
    assert universal_approximation.count_pieces(model, -1, 1) == 3
    assert universal_approximation.count_pieces(model, 0, 1) == 2
    assert universal_approximation.count_pieces(model[:1], -1, 1) == 1
    tents = universal_approximation.as_model(
        universal_approximation.stack(universal_approximation.tent_block, 4), 0
    )
    assert 16 <= universal_approximation.count_pieces(tents, 0.001, 0.999) <= 32


def test_fit_is_adam_with_a_falling_rate(universal_approximation):
    lesson = universal_approximation
    rates, n_steps = (1e-3, 1e-2), 7
    begin = lesson.start((1, 4, 1), 3, seed=0)
    before = [p.clone() for p in begin]
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    best, losses = lesson.fit(begin, rates, x, lesson.tents(x, 1), n_steps)
    assert all(torch.equal(p, q) for p, q in zip(begin, before))
    for i in range(3):
        found = []
        for rate in rates:
            model = lesson.as_model(begin, i)
            optimizer = torch.optim.Adam(model.parameters(), lr=rate)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
            for _ in range(n_steps):
                optimizer.zero_grad()
                F.mse_loss(model(x), lesson.tents(x, 1)).backward()
                optimizer.step()
                schedule.step()
            found.append((F.mse_loss(model(x), lesson.tents(x, 1)).item(), model))
        loss, model = min(found, key=lambda pair: pair[0])
        assert losses[i].item() == pytest.approx(loss, rel=1e-6)
        for ours, theirs in zip(best, model.parameters(), strict=True):
            torch.testing.assert_close(ours[i].view_as(theirs), theirs, rtol=1e-5, atol=1e-8)


def test_depth_expresses_but_does_not_find(universal_approximation):
    lesson = universal_approximation
    losses = {name: loss.numpy() for name, (_, loss) in lesson.fitted.items()}
    sizes = {name: sum(p[0].numel() for p in parameters) for name, (parameters, _) in lesson.fitted.items()}
    assert sizes == {"shallow": 115, "deep": 113, "deep, in stages": 113}
    assert np.sort(losses["deep, in stages"])[:4].max() < 1e-3 < 0.08 < losses["deep"].min()
    assert losses["shallow"].min() > 0.08
    assert 2 * max(max(lesson.random_pieces[depth]) for depth in (2, 3, 4)) < min(lesson.random_pieces[1])


def test_towers_leave_holes_where_four_meet(universal_approximation):
    def flat(x, y):
        return np.ones(np.broadcast_shapes(np.shape(x), np.shape(y)))

    middle = np.array([0.5 / 4])
    assert universal_approximation.towers(flat, 4, middle, middle) == pytest.approx(1, abs=1e-6)
    corner = np.array([1 / 4])
    assert abs(universal_approximation.towers(flat, 4, corner, corner).item()) < 1e-6
    medians = universal_approximation.median_errors
    assert medians[16] < 0.6 * medians[8] < 0.36 * medians[4]
    assert universal_approximation.largest_errors[16] > universal_approximation.largest_errors[4]


def test_curve_and_surface_have_the_drawn_heights(universal_approximation):
    np.testing.assert_allclose(
        universal_approximation.curve(np.array([0, 0.2, 1])), [0, np.sin(0.4 * np.pi) - 0.1, -0.5], atol=1e-12
    )
    np.testing.assert_allclose(universal_approximation.surface(0.3, 0.7), np.sin(1.5) * np.cos(2.8) + 0.21)


# 5.4 forward_pass


def sequential(sizes, dtype=torch.float64):
    """nn.Sequential with ReLU between its layers, and the same weights as a list of arrays."""
    modules = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        modules += [nn.Linear(n_in, n_out, dtype=dtype), nn.ReLU()]
    linears = modules[::2]
    layers = [(linear.weight.detach().numpy(), linear.bias.detach().numpy()) for linear in linears]
    return nn.Sequential(*modules[:-1]), layers


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("sizes", [(1, 1), (5, 3), (2, 7, 1), (11, 5, 13, 3)])
def test_all_forms_of_the_forward_pass_match_torch(forward_pass, batch_size, sizes):
    torch.manual_seed(len(sizes))
    network, layers = sequential(sizes)
    model = forward_pass.MLP(sizes, np.random.default_rng(0))
    assert [(w.shape, b.shape) for w, b in model.layers] == [(w.shape, b.shape) for w, b in layers]
    model.layers = layers
    x = np.random.default_rng(batch_size).normal(size=(batch_size, sizes[0]))
    expected = network(torch.from_numpy(x)).detach().numpy()
    for ours in (forward_pass.forward_loops(x, layers), forward_pass.forward(x, layers), model(x)):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)
    h, after = torch.from_numpy(x), []
    for module in network:
        h = module(h)
        after.append(h.detach().numpy())
    for ours, theirs in zip(model.outputs, [*after[1::2], after[-1]], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (64, 32, 16, 10), (3, 7, 2)])
def test_counts_match_torch(forward_pass, sizes):
    network, _ = sequential(sizes)
    model = forward_pass.MLP(sizes, np.random.default_rng(0))
    assert model.n_parameters() == sum(p.numel() for p in network.parameters())
    assert model.n_operations(5) == 5 * sum(2 * w.numel() for w in network.parameters() if w.ndim == 2)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_loops_take_whole_numbers(forward_pass, dtype):
    x, weight, bias = (
        np.array([[1, 2], [3, 4]], dtype=dtype),
        np.array([[0.5, -0.25], [0.1, 0.2]]),
        np.full(2, 0.3),
    )
    np.testing.assert_allclose(forward_pass.layer_loops(x, weight, bias), [[0.3, 0.8], [0.8, 1.4]])
    layers = [(weight, bias), (weight, bias)]
    expected = forward_pass.forward(x.astype(float), layers)
    np.testing.assert_allclose(forward_pass.forward_loops(x, layers), expected)
    np.testing.assert_allclose(forward_pass.forward(x, layers), expected)


def test_forms_keep_float32_and_take_no_examples(forward_pass):
    model = forward_pass.MLP((5, 7, 3), np.random.default_rng(0), dtype=np.float32)
    x = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    for logits in (
        model(x),
        forward_pass.forward(x, model.layers),
        forward_pass.forward_loops(x, model.layers),
    ):
        assert logits.dtype == np.float32 and logits.shape == (4, 3)
    column_order = np.asfortranarray(x)
    np.testing.assert_allclose(model(column_order), model(x), rtol=1e-6)
    assert model(x[:0]).shape == forward_pass.forward_loops(x[:0], model.layers).shape == (0, 3)


def test_weights_are_drawn_within_their_bounds(forward_pass):
    model = forward_pass.MLP((100, 400, 100), np.random.default_rng(0), dtype=np.float32)
    for (weight, bias), n_in in zip(model.layers, (100, 400)):
        assert weight.dtype == bias.dtype == np.float32
        assert 0.99 < np.abs(weight).max() * np.sqrt(n_in) <= 1.0001
        assert 0.9 < np.abs(bias).max() * np.sqrt(n_in) <= 1.0001
        for drawn in (weight, bias):
            assert 0.5 < drawn.std() * np.sqrt(3 * n_in) < 1.5
            assert abs(drawn.mean()) < 4 * drawn.std() / np.sqrt(drawn.size)


@pytest.mark.parametrize(
    "x, weight, bias", [((2, 3), (4, 5), (4,)), ((2, 3), (4, 3), (1,)), ((3,), (4, 3), (4,))]
)
def test_forward_names_the_shapes(forward_pass, x, weight, bias):
    with pytest.raises(
        ValueError,
        match="layer 0.*"
        + ".*".join(str(s).replace("(", r"\(").replace(")", r"\)") for s in (x, weight, bias)),
    ):
        forward_pass.forward(np.ones(x), [(np.ones(weight), np.ones(bias))])


def test_digits_are_read_by_every_form(forward_pass):
    assert forward_pass.test_accuracy > 0.88
    layers = forward_pass.weights_of(forward_pass.trained[0])
    logits = forward_pass.forward(forward_pass.images[forward_pass.test], layers)
    read = np.mean(logits.argmax(axis=1) == forward_pass.labels[forward_pass.test])
    assert read == forward_pass.test_accuracy
    assert not set(forward_pass.train) & set(forward_pass.test)
    assert forward_pass.best_seconds(np.square, np.ones(3)) < 1


def test_only_trained_layers_tell_digits_apart(forward_pass):
    assert forward_pass.likeness["trained"].shape == forward_pass.likeness["untrained"].shape == (3, 2)
    assert forward_pass.likeness["trained"].max() < forward_pass.pixel_likeness - 0.1
    assert forward_pass.likeness["untrained"].min() > forward_pass.pixel_likeness
    patterns = np.random.default_rng(0).normal(size=(10, 4))
    pairs = [
        F.cosine_similarity(*torch.from_numpy(patterns[[i, j]]), dim=0).item()
        for i in range(10)
        for j in range(i)
    ]
    assert forward_pass.mean_cosine(patterns) == pytest.approx(np.mean(pairs))
    means = forward_pass.class_patterns(forward_pass.images[forward_pass.test])
    is_seven = forward_pass.labels[forward_pass.test] == 7
    np.testing.assert_allclose(means[7], forward_pass.images[forward_pass.test][is_seven].mean(axis=0))


# 5.5 loss_functions


@pytest.mark.parametrize("shape, scale", [((1,), 1.0), ((7,), 0.5), ((3, 5), 10.0), ((2, 1, 3), 1e4)])
@pytest.mark.parametrize("name, theirs", [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)])
def test_regression_loss_matches_torch(loss_functions, name, theirs, shape, scale):
    rng = np.random.default_rng(len(shape))
    prediction, target = rng.normal(scale=scale, size=(2, *shape))
    u = torch.from_numpy(prediction).requires_grad_()
    expected = theirs(u, torch.from_numpy(target))
    expected.backward()
    loss, gradient = getattr(loss_functions, name)(prediction, target)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("delta", [0.3, 2.0, 500.0])
def test_huber_matches_torch_at_any_delta(loss_functions, delta):
    prediction, target = np.random.default_rng(0).normal(scale=3, size=(2, 11))
    u = torch.from_numpy(prediction).requires_grad_()
    expected = F.huber_loss(u, torch.from_numpy(target), delta=delta)
    expected.backward()
    loss, gradient = loss_functions.huber(prediction, target, delta)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_examples, n_classes", [(1, 1), (1, 7), (5, 2), (13, 10)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1, 1.0])
def test_cross_entropy_matches_torch(loss_functions, n_examples, n_classes, scale, smoothing):
    rng = np.random.default_rng(n_classes)
    logits = rng.normal(scale=scale, size=(n_examples, n_classes))
    labels = rng.integers(n_classes, size=n_examples)
    u = torch.from_numpy(logits).requires_grad_()
    expected = F.cross_entropy(u, torch.from_numpy(labels), label_smoothing=smoothing or 0.0)
    expected.backward()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        if smoothing is None:
            loss, gradient = loss_functions.cross_entropy(logits, labels)
        else:
            loss, gradient = loss_functions.smoothed_cross_entropy(logits, labels, smoothing)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        loss_functions.log_softmax(logits), F.log_softmax(u, 1).detach(), rtol=1e-10, atol=1e-12
    )


def test_differences_from_torch_are_told(loss_functions):
    assert max(loss_functions.compare_with_torch(*loss_functions.pairs["cross-entropy"])) < 1e-9
    with pytest.raises(AssertionError):
        loss_functions.compare_with_torch(loss_functions.mse, F.l1_loss, np.ones(3), np.zeros(3))


def test_a_forbidden_class_stays_finite(loss_functions):
    """A logit of -inf means probability zero; for the other labels nothing else changes."""
    logits = np.array([[-np.inf, 0.0, 1.0], [2.0, -np.inf, -np.inf]])
    expected = F.cross_entropy(torch.from_numpy(logits), torch.tensor([2, 0])).item()
    loss, gradient = loss_functions.cross_entropy(logits, [2, 0])
    assert loss == pytest.approx(expected) == pytest.approx(0.3133 / 2, abs=1e-4)
    assert np.isfinite(gradient).all() and gradient[0, 0] == 0


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5)])
def test_poisson_loss_matches_torch(loss_functions, shape):
    rng = np.random.default_rng(len(shape))
    z, counts = rng.normal(size=shape), rng.poisson(2.0, size=shape)
    u = torch.from_numpy(z).requires_grad_()
    expected = F.poisson_nll_loss(u, torch.from_numpy(counts))
    expected.backward()
    loss, gradient = loss_functions.poisson_loss(z, counts)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)
    exact = (
        -torch.distributions.Poisson(torch.from_numpy(np.exp(z))).log_prob(torch.from_numpy(counts)).mean()
    )
    constant = torch.lgamma(torch.from_numpy(counts + 1.0)).mean()
    assert loss == pytest.approx((exact - constant).item(), rel=1e-6)  # only a constant is left out


def test_losses_take_whole_numbers_and_keep_float32(loss_functions):
    for name in ("mse", "mae", "huber"):
        loss = getattr(loss_functions, name)
        whole = loss(np.array([1, 5, 2], dtype=np.uint8), np.array([3, 1, 2], dtype=np.uint8))
        exact = loss([1.0, 5.0, 2.0], [3.0, 1.0, 2.0])
        assert whole[0] == pytest.approx(exact[0])
        np.testing.assert_allclose(whole[1], exact[1], rtol=1e-6)
        assert loss(np.ones(3, np.float32), np.zeros(3, np.float32))[1].dtype == np.float32
    whole, exact = (loss_functions.cross_entropy(kind([[1, 0, 3]]), [2]) for kind in (np.array, np.float64))
    assert whole[0] == pytest.approx(exact[0])
    np.testing.assert_allclose(whole[1], exact[1])
    single = np.ones((2, 3), np.float32)
    assert loss_functions.cross_entropy(single, [0, 1])[1].dtype == np.float32
    assert loss_functions.smoothed_cross_entropy(single, [0, 1], 0.1)[1].dtype == np.float32
    for name in ("binary_cross_entropy", "poisson_loss"):
        loss = getattr(loss_functions, name)
        whole, exact = loss(np.array([2, 0]), np.array([1, 0])), loss([2.0, 0.0], [1.0, 0.0])
        assert whole[0] == pytest.approx(exact[0])
        np.testing.assert_allclose(whole[1], exact[1])
        assert loss(np.ones(3, np.float32), np.zeros(3, np.float32))[1].dtype == np.float32
    measured = loss_functions.measured_gradient(lambda z: np.sum(z * z), np.array([1, 2, 3]))
    np.testing.assert_allclose(measured, [2, 4, 6], rtol=1e-6)


@pytest.mark.parametrize("shape, scale", [((1,), 1.0), ((7,), 30.0), ((3, 5), 1e4)])
@pytest.mark.parametrize("hard", [True, False])
def test_binary_cross_entropy_matches_torch(loss_functions, shape, scale, hard):
    rng = np.random.default_rng(len(shape))
    logits = rng.normal(scale=scale, size=shape)
    targets = rng.integers(2, size=shape).astype(float) if hard else rng.uniform(size=shape)
    u = torch.from_numpy(logits).requires_grad_()
    expected = F.binary_cross_entropy_with_logits(u, torch.from_numpy(targets))
    expected.backward()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, gradient = loss_functions.binary_cross_entropy(logits, targets)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)


def test_brier_matches_autograd(loss_functions):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(scale=3, size=11), rng.integers(2, size=11).astype(float)
    u = torch.from_numpy(logits).requires_grad_()
    expected = F.mse_loss(torch.sigmoid(u), torch.from_numpy(targets))
    expected.backward()
    loss, gradient = loss_functions.brier(logits, targets)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)


def test_likelihoods_match_torch_distributions(loss_functions):
    prediction, target = np.random.default_rng(0).normal(size=(2, 7))
    normal = torch.distributions.Normal(torch.from_numpy(prediction), 0.7)
    expected = -normal.log_prob(torch.from_numpy(target)).mean().item()
    assert loss_functions.gaussian_nll(prediction, target, 0.7) == pytest.approx(expected, rel=1e-6)
    counts = np.array([151, 68, 123])  # Adelie, Chinstrap, Gentoo with a measured flipper
    assert loss_functions.shares == pytest.approx(counts / 342)
    assert loss_functions.nll_of_constant(loss_functions.shares) < min(loss_functions.other_losses)
    moved = {name: abs(typo - clean) for name, (clean, typo) in loss_functions.best_guess.items()}
    assert moved["MSE"] > 50 > 10 > max(moved["MAE"], moved["Huber"])
    spread = {name: np.std(values) for name, values in loss_functions.estimates.items()}
    assert 1.2 < spread["squared error"] / spread["Poisson"] < 2


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_cross_entropy", "brier", "poisson_loss"])
def test_losses_name_shapes_that_would_broadcast(loss_functions, name):
    loss = getattr(loss_functions, name)
    with pytest.raises(ValueError, match=r"\(3,\).*\(3, 1\)"):
        loss(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(ValueError, match=r"\(3, 1\).*\(3,\)"):
        loss(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match=r"\(4,\).*\(1,\)"):
        loss(np.zeros(4), np.zeros(1))
    with pytest.raises(ValueError, match=r"no examples|\(0,\)"):
        loss(np.zeros(0), np.zeros(0))


def test_cross_entropy_names_the_fault(loss_functions):
    logits = np.zeros((3, 4))
    for labels in (np.zeros((3, 1), int), np.zeros(2, int), np.zeros((3, 4), int)):
        with pytest.raises(ValueError, match=r"\(3, 4\) but labels \("):
            loss_functions.cross_entropy(logits, labels)
    with pytest.raises(ValueError, match=r"\(4,\) but labels"):
        loss_functions.cross_entropy(np.zeros(4), np.zeros(4, int))
    for labels in ([0, 1, 4], [0, -1, 2], [0.0, 1.0, 2.0]):
        with pytest.raises(ValueError, match="from 0 to 3"):
            loss_functions.cross_entropy(logits, labels)
    for smoothing in (-0.1, 1.1):
        with pytest.raises(ValueError, match="smoothing"):
            loss_functions.smoothed_cross_entropy(logits, [0, 1, 3], smoothing)
    with pytest.raises(ValueError, match=r"\(0, 4\) but labels \(0,\)"):
        loss_functions.cross_entropy(np.zeros((0, 4)), np.zeros(0, int))
    with pytest.raises(ValueError, match="negative"):
        loss_functions.poisson_loss(np.zeros(2), np.array([1, -1]))
    for targets in ([-0.1, 0.5], [0.5, 1.1]):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            loss_functions.binary_cross_entropy(np.zeros(2), np.array(targets))


def test_squared_error_gives_up_where_cross_entropy_does_not(loss_functions):
    assert loss_functions.accuracy["cross-entropy"][-1] > 0.95
    assert loss_functions.accuracy["squared error"].max() < 0.6
    assert all(accuracies.min() > 0.88 for accuracies in loss_functions.test_accuracies.values())
    probabilities, labels = np.random.default_rng(0).normal(size=(3, 10)), np.array([2, 9, 0])
    ours = loss_functions.squared_error(torch.from_numpy(probabilities).float(), torch.from_numpy(labels))
    expected = np.mean((np.exp(loss_functions.log_softmax(probabilities)) - np.eye(10)[labels]) ** 2)
    assert ours.item() == pytest.approx(expected, rel=1e-5)


# 5.6 mlp_numpy


def pair(mlp_numpy, n_in, n_hidden, n_out, seed, dtype=np.float64):
    """Our MLP, and nn.Sequential with the same weights."""
    model = mlp_numpy.MLP(n_in, n_hidden, n_out, np.random.default_rng(seed), dtype=dtype)
    network = nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_out))
    network = network.to(torch.float64 if dtype == np.float64 else torch.float32)
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), model.parameters.values(), strict=True):
            assert parameter.shape == values.shape
            parameter.copy_(torch.from_numpy(values))
    return model, network


def torch_epoch(network, batches, optimizer):
    """One pass over pairs of inputs (B, n_in) and labels (B,); returns the loss of each batch."""
    losses = []
    for x, y in batches:
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 7, 3), (64, 32, 10)])
@pytest.mark.parametrize("batch_size", [1, 11])
def test_gradients_match_autograd(mlp_numpy, sizes, batch_size):
    model, network = pair(mlp_numpy, *sizes, seed=batch_size)
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(size=(batch_size, sizes[0])), rng.normal(size=(batch_size, sizes[-1]))
    logits = network(torch.from_numpy(x))
    (logits * torch.from_numpy(cotangent)).sum().backward()
    np.testing.assert_allclose(model.forward(x), logits.detach(), rtol=1e-10, atol=1e-12)
    for gradient, parameter in zip(model.backward(cotangent).values(), network.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, rtol=1e-10, atol=1e-12)


def test_measured_gradients_match_autograd(mlp_numpy):
    model, network = pair(mlp_numpy, 3, 5, 4, seed=0)
    x, y = np.random.default_rng(0).normal(size=(7, 3)), np.arange(7) % 4
    F.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    before = {name: values.copy() for name, values in model.parameters.items()}
    measured = mlp_numpy.measured_gradients(model, x, y)
    for (name, gradient), parameter in zip(measured.items(), network.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, atol=1e-8)
        np.testing.assert_array_equal(model.parameters[name], before[name])


@pytest.mark.parametrize("n_examples, n_classes, scale", [(1, 1, 1.0), (5, 2, 30.0), (13, 10, 1e4)])
def test_digits_loss_matches_torch(mlp_numpy, n_examples, n_classes, scale):
    rng = np.random.default_rng(n_classes)
    logits, labels = (
        rng.normal(scale=scale, size=(n_examples, n_classes)),
        rng.integers(n_classes, size=n_examples),
    )
    u = torch.from_numpy(logits).requires_grad_()
    expected = F.cross_entropy(u, torch.from_numpy(labels))
    expected.backward()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, gradient = mlp_numpy.cross_entropy(logits, labels)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)


def test_training_matches_pytorch_step_for_step(mlp_numpy):
    np.testing.assert_allclose(mlp_numpy.losses, mlp_numpy.torch_losses, atol=1e-9)
    assert mlp_numpy.losses[-1] < 0.5 * mlp_numpy.losses[0]
    model, network = pair(mlp_numpy, 5, 7, 3, seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(11, 5)), rng.integers(3, size=11)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(3):
        batches = np.split(np.random.default_rng(1).permutation(11), [4, 8])  # the last batch is smaller
        losses = mlp_numpy.run_epoch(model, x, y, 0.5, 4, np.random.default_rng(1))
        pairs = [(torch.from_numpy(x[batch]), torch.from_numpy(y[batch])) for batch in batches]
        np.testing.assert_allclose(losses, torch_epoch(network, pairs, optimizer), rtol=1e-10)
    for values, parameter in zip(model.parameters.values(), network.parameters(), strict=True):
        np.testing.assert_allclose(values, parameter.detach(), rtol=1e-10, atol=1e-12)
    loss, accuracy = mlp_numpy.evaluate(model, x, y)
    logits = network(torch.from_numpy(x))
    assert loss == pytest.approx(F.cross_entropy(logits, torch.from_numpy(y)).item())
    assert accuracy == (logits.argmax(dim=1).numpy() == y).mean()


def test_float32_stays_float32(mlp_numpy):
    model, network = pair(mlp_numpy, 64, 64, 10, seed=0, dtype=np.float32)
    x, y = mlp_numpy.images[:32].astype(np.float32), mlp_numpy.labels[:32]
    loss, gradient = mlp_numpy.cross_entropy(model.forward(x), y)
    assert gradient.dtype == np.float32
    assert {values.dtype for values in model.backward(gradient).values()} == {np.dtype(np.float32)}
    mlp_numpy.training_step(model, x, y, 0.1)
    assert {values.dtype for values in model.parameters.values()} == {np.dtype(np.float32)}
    assert loss == pytest.approx(
        F.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y)).item(), rel=1e-5
    )


def test_start_is_drawn_within_its_bounds(mlp_numpy):
    model = mlp_numpy.MLP(100, 400, 50, np.random.default_rng(0))
    for name, fan_in in (("weight1", 100), ("bias1", 100), ("weight2", 400), ("bias2", 400)):
        values = model.parameters[name] * np.sqrt(fan_in)
        assert 0.8 < values.max() <= 1 and -1 <= values.min() < -0.8


def test_digits_are_read(mlp_numpy):
    assert mlp_numpy.test_accuracy >= 0.95
    assert not set(mlp_numpy.train) & set(mlp_numpy.test) | set(mlp_numpy.validation) & set(mlp_numpy.test)
    assert len(mlp_numpy.train) + len(mlp_numpy.validation) + len(mlp_numpy.test) == 1797
    assert np.trace(mlp_numpy.confusion) / mlp_numpy.confusion.sum() == pytest.approx(mlp_numpy.test_accuracy)
    counts = np.bincount(mlp_numpy.labels[mlp_numpy.test])
    np.testing.assert_array_equal(mlp_numpy.confusion.sum(axis=1), counts)  # rows are the true digits


def test_clothes_network_is_its_layers(mlp_numpy):
    torch.manual_seed(0)
    network = mlp_numpy.ClothesMLP(5)
    x = torch.rand(3, 28, 28)
    expected = network.out(torch.relu(network.hidden(x.reshape(3, 784))))
    torch.testing.assert_close(network(x), expected)
    assert network(x[:0]).shape == (0, 10)
    before = network.out.bias.detach().clone()
    loader = mlp_numpy.DataLoader(mlp_numpy.TensorDataset(x, torch.tensor([0, 1, 1])), batch_size=2)
    network.to(mlp_numpy.device)
    loss, confusion = mlp_numpy.evaluate_clothes(network, loader)
    assert not network.training
    with torch.no_grad():
        logits = network(x.to(mlp_numpy.device)).cpu()
    assert loss == pytest.approx(F.cross_entropy(logits, torch.tensor([0, 1, 1])).item(), rel=1e-5)
    assert confusion.sum(dim=1).tolist() == [1, 2, *[0] * 8]
    assert confusion.sum(dim=0).tolist() == torch.bincount(logits.argmax(dim=1), minlength=10).tolist()
    mlp_numpy.train_epoch(network, loader, torch.optim.SGD(network.parameters(), lr=0.1))
    assert network.training and not torch.equal(network.out.bias.detach().cpu(), before)


def test_clothes_are_read(mlp_numpy):
    assert mlp_numpy.clothes_accuracy > 0.8
    assert mlp_numpy.recalls.argmin() == 6 and mlp_numpy.recalls.shape == (10,)
    assert mlp_numpy.clothes_confusion.sum() == 1000
    losses = [row[0] for row in mlp_numpy.clothes_history]
    assert losses[-1] < 0.5 * losses[0]
    assert len(mlp_numpy.fit_set) == 4000 and len(mlp_numpy.valid_set) == 1000


def test_choice_of_the_rate_uses_validation_only(mlp_numpy):
    last = {rate: history[-1] for rate, history in mlp_numpy.histories.items()}
    assert last[mlp_numpy.best_rate][3] == max(row[3] for row in last.values())
    model = mlp_numpy.models[mlp_numpy.best_rate]
    on_validation = mlp_numpy.images[mlp_numpy.validation], mlp_numpy.labels[mlp_numpy.validation]
    loss, accuracy = mlp_numpy.evaluate(model, *on_validation)
    assert (loss, accuracy) == pytest.approx(tuple(last[mlp_numpy.best_rate][2:]))


def test_mlp_names_the_fault(mlp_numpy):
    model = mlp_numpy.MLP(64, 8, 10, np.random.default_rng(0))
    for shape in ((3, 8, 8), (3, 63), (64,)):
        with pytest.raises(ValueError, match=r"\(8, 64\)"):
            model.forward(np.zeros(shape))
    logits = np.zeros((3, 10))
    for labels in ([0, 1, 10], [0, -1, 2]):
        with pytest.raises(ValueError, match="from 0 to 9"):
            mlp_numpy.cross_entropy(logits, np.array(labels))
    with pytest.raises(ValueError, match="from 0 to 9"):
        mlp_numpy.cross_entropy(np.zeros((0, 10)), np.zeros(0, int))
    for labels in (np.zeros((3, 1), int), np.zeros(2, int), np.zeros(3)):
        with pytest.raises(ValueError, match=r"\(3, 10\) need 3 whole labels"):
            mlp_numpy.cross_entropy(logits, labels)


def test_saved_weights_come_back(mlp_numpy, tmp_path):
    first, second = (mlp_numpy.MLP(5, 7, 3, np.random.default_rng(seed)) for seed in (0, 1))
    x = np.random.default_rng(0).normal(size=(2, 5))
    mlp_numpy.save(first, tmp_path / "weights.npz")
    assert not np.allclose(first.forward(x), second.forward(x))
    mlp_numpy.load(second, tmp_path / "weights.npz")
    np.testing.assert_array_equal(first.forward(x), second.forward(x))
    with pytest.raises(ValueError, match=r"\(7, 5\).*\(6, 5\)"):
        mlp_numpy.load(mlp_numpy.MLP(5, 6, 3, np.random.default_rng(0)), tmp_path / "weights.npz")


# numbers of every kind


X, WEIGHT, Z, TARGET = (
    np.random.default_rng(0).integers(0, 5, s).astype(float) for s in [(4, 3), (2, 3), (4, 5), (4, 5)]
)
CLASSES = np.array([0, 4, 2, 2])
SMOOTH = ["sigmoid", "relu", "leaky_relu", "gelu", "silu", "fast_sigmoid", "gelu_tanh"]
SLOPES = ["sigmoid_slope", "tanh_slope", "leaky_relu_slope", "gelu_slope", "silu_slope", "gelu_tanh_slope"]


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        *[("activations", lambda m, x, name=name: getattr(m, name)(x), [X]) for name in SMOOTH + SLOPES],
        ("activations", lambda m, x: m.softmax(x), [X]),
        ("activations", lambda m, x, g: m.softmax_backward(x, g), [Z, TARGET]),
        ("forward_pass", lambda m, x, w: m.layer_loops(x, w, w[:, 0]), [X, WEIGHT]),
        (
            "forward_pass",
            lambda m, x, w: m.forward_loops(x, [(w, w[:, 0]), (w[:, :2], w[:, 0])]),
            [X, WEIGHT],
        ),
        ("forward_pass", lambda m, x, w: m.forward(x, [(w, w[:, 0]), (w[:, :2], w[:, 0])]), [X, WEIGHT]),
        ("loss_functions", lambda m, z, t: m.mse(z, t), [Z, TARGET]),
        ("loss_functions", lambda m, z, t: m.mae(z, t), [Z, TARGET]),
        ("loss_functions", lambda m, z, t: m.huber(z, t), [Z, TARGET]),
        ("loss_functions", lambda m, z, t: m.gaussian_nll(z, t, 2.0), [Z, TARGET]),
        ("loss_functions", lambda m, z, t: m.poisson_loss(z, t), [Z, TARGET]),
        ("loss_functions", lambda m, z, t: m.binary_cross_entropy(z, t), [Z, TARGET.clip(0, 1)]),
        ("loss_functions", lambda m, z, t: m.brier(z, t), [Z, TARGET.clip(0, 1)]),
        ("loss_functions", lambda m, z: m.log_softmax(z), [Z]),
        ("loss_functions", lambda m, z: m.cross_entropy(z, CLASSES), [Z]),
        ("loss_functions", lambda m, z: m.smoothed_cross_entropy(z, CLASSES, 0.1), [Z]),
        ("loss_functions", lambda m, z: m.measured_gradient(lambda q: float((q * q).sum()), z), [Z]),
        ("mlp_numpy", lambda m, z: m.cross_entropy(z, CLASSES), [Z]),
        ("universal_approximation", lambda m, x: m.relu(x), [X]),
        ("universal_approximation", lambda m, x: m.tents(x, 3), [[0.0, 1]]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory."""
    m = lesson(stem)
    measured = "measured_gradient" in call.__code__.co_names
    rounding = {"rtol": 1e-7, "atol": 1e-7} if measured else {}  # differences divide it by 2h
    kinds = {"float32": not measured, "bytes_too": stem == "activations"}
    any_numbers(lambda *a: call(m, *a), *arrays, **kinds, **rounding)


def same(parameters, others):
    return all(torch.equal(p, q) for p, q in zip(parameters, others, strict=True))


def train_activations(m, rate, **options):
    """Whether training leaves the start as it is, and the number of epochs that it tells of."""
    parameters, never_on = m.train(torch.relu, (rate,), (0,), **options)
    return same(parameters, m.start_networks((0,), 1)), len(never_on)


def fit_forward(m, **options):
    """Whether training leaves the start as it is, and the number of losses."""
    network = m.make_network((64, 5, 10), 0)
    losses = m.fit(network, **options)
    return same(network.parameters(), m.make_network((64, 5, 10), 0).parameters()), len(losses)


def fit_blocks(m, *rates, n_steps):
    """Mean squared errors of two blocks after training, as a share of those before."""
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    begin = m.start((1, 3, 1), 2, seed=0)
    before = (m.forward(begin, x) - x).square().mean(dim=(1, 2))
    return (m.fit(begin, rates, x, x, n_steps)[1] / before).tolist()


def epoch_of_digits(m, learning_rate, batch_size):
    """Number of batches, and whether the parameters moved and are numbers."""
    model, start = (m.MLP(64, 3, 10, np.random.default_rng(0)) for _ in range(2))
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        losses = m.run_epoch(model, m.images[:50], m.labels[:50], learning_rate, batch_size, rng)
    moved = any(
        not np.array_equal(p, q) for p, q in zip(model.parameters.values(), start.parameters.values())
    )
    return len(losses), moved, all(np.isfinite(p).all() for p in model.parameters.values())


ALL_DIGITS = {"n_epochs": 1, "batch_size": 5000}


@pytest.mark.parametrize(
    "stem, call, expected",
    [
        ("perceptron", lambda m: m.pocket(np.ones((2, 1)), np.ones(2), 0)[0].tolist(), [0]),
        ("perceptron", lambda m: len(m.widest_margin(np.ones((2, 1)), np.ones(2), 0)), 3),
        ("activations", lambda m: train_activations(m, 0.1, n_epochs=0), (True, 0)),
        ("activations", lambda m: train_activations(m, 0.0, n_epochs=1), (True, 1)),
        ("activations", lambda m: train_activations(m, 100.0, n_epochs=1, batch_size=333), (False, 1)),
        ("activations", lambda m: train_activations(m, 0.1, **ALL_DIGITS), (False, 1)),
        ("universal_approximation", lambda m: m.train(4, n_steps=0)(np.zeros(3)).shape, (8, 3)),
        ("universal_approximation", lambda m: bool(np.isnan(m.train(4, 1, 200, 100.0)([0.5]))), True),
        ("universal_approximation", lambda m: fit_blocks(m, 0.1, n_steps=0), [1, 1]),
        ("universal_approximation", lambda m: fit_blocks(m, 0.0, n_steps=3), [1, 1]),
        ("universal_approximation", lambda m: min(fit_blocks(m, 100.0, n_steps=3)) > 1, True),
        ("universal_approximation", lambda m: max(fit_blocks(m, 0.01, 1e200, n_steps=9)) < 1, True),
        ("universal_approximation", lambda m: fit_blocks(m, n_steps=3), "at least one learning rate"),
        ("forward_pass", lambda m: fit_forward(m, n_epochs=0), (True, 0)),
        ("forward_pass", lambda m: fit_forward(m, n_epochs=1, learning_rate=0.0), (True, 1)),
        ("forward_pass", lambda m: fit_forward(m, n_epochs=2, learning_rate=100.0), (False, 2)),
        ("forward_pass", lambda m: fit_forward(m, n_epochs=1, batch_size=333), (False, 1)),
        ("forward_pass", lambda m: fit_forward(m, **ALL_DIGITS), (False, 1)),
        ("loss_functions", lambda m: len(m.train(F.cross_entropy, 0.1, 0, n_epochs=0)), 3),
        ("loss_functions", lambda m: len(m.train(F.cross_entropy, 100.0, 0, 1, batch_size=333)), 3),
        ("loss_functions", lambda m: len(m.train(F.cross_entropy, 0.0, 0, **ALL_DIGITS)), 3),
        ("loss_functions", lambda m: m.huber([1.0], [0.0], delta=0), "delta must be above zero, got 0"),
        ("loss_functions", lambda m: m.gaussian_nll([1.0], [0.0], 0), "width must be above zero, got 0"),
        ("mlp_numpy", lambda m: epoch_of_digits(m, 0.0, 7), (8, False, True)),
        ("mlp_numpy", lambda m: epoch_of_digits(m, 100.0, 7), (8, True, True)),
        ("mlp_numpy", lambda m: epoch_of_digits(m, 0.1, 5000), (1, True, True)),
        ("mlp_numpy", lambda m: epoch_of_digits(m, 0.1, 0), "batch_size must be at least 1, got 0"),
        ("mlp_numpy", lambda m: epoch_of_digits(m, 0.1, -5), "batch_size must be at least 1, got -5"),
        ("mlp_numpy", lambda m: m.MLP(64, 0, 10, np.random.default_rng(0)), "one neuron, got 64, 0, 10"),
    ],
)
def test_any_settings_work_or_are_named(lesson, any_settings, stem, call, expected):
    """No steps, batches that do not divide or hold everything, learning rates of 0 and 100."""
    any_settings(lambda: call(lesson(stem)), expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, z, t: m.mse(z, t),
        lambda m, z, t: m.mae(z, t),
        lambda m, z, t: m.huber(z, t),
        lambda m, z, t: m.poisson_loss(z, t),
        lambda m, z, t: m.cross_entropy(z, t[:, 0].astype(int)),
        lambda m, z, t: m.binary_cross_entropy(z, np.clip(t, 0, 1)),
    ],
)
def test_a_batch_of_one_or_none_is_a_number_or_an_error(loss_functions, any_numbers, call):
    any_numbers(lambda z, t: call(loss_functions, z, t), Z, TARGET, batch=(0, 1))


# benchmarks


def grouped(template, values):
    """Parameters for a test, each in a benchmark group of its own."""
    return [
        pytest.param(value, marks=pytest.mark.benchmark(group=template.format(value)), id="")
        for value in values
    ]


MEASURED = grouped(
    "{}, 1e6 elements, float32", ["ReLU", "leaky ReLU", "sigmoid", "tanh", "GELU (tanh)", "SiLU"]
)


@pytest.mark.parametrize("implementation", ["numpy"])
@pytest.mark.parametrize("name", MEASURED)
def test_numpy_activation_speed(activations, timed, name, implementation):
    x = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    out = timed(activations.activations[name][0], x, bytes=2 * x.nbytes)
    np.testing.assert_allclose(out, LIBRARY[name](torch.from_numpy(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.benchmark(group="sigmoid, 1e6 elements, float32")
@pytest.mark.parametrize("implementation", ["numpy, fast"])
def test_fast_sigmoid_speed(activations, timed, implementation):
    x = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    out = timed(activations.fast_sigmoid, x, bytes=2 * x.nbytes)
    np.testing.assert_allclose(out, torch.sigmoid(torch.from_numpy(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", ["torch, library"])
@pytest.mark.parametrize("name", MEASURED)
def test_activation_speed(activations, timed, device, name, implementation):
    x = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    out = timed(LIBRARY[name], torch.from_numpy(x).to(device), bytes=2 * x.nbytes).cpu()
    np.testing.assert_allclose(out, activations.activations[name][0](x), rtol=1e-5, atol=1e-6)


CROSS_ENTROPY = "softmax cross-entropy with its gradient, {} × 10, float32"


def scored(batch_size):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(batch_size, 10)).astype(np.float32)
    return logits, rng.integers(10, size=batch_size)


@pytest.mark.parametrize("implementation", ["numpy"])
@pytest.mark.parametrize("batch_size", grouped(CROSS_ENTROPY, [32, 1024]))
def test_numpy_cross_entropy_speed(loss_functions, timed, batch_size, implementation):
    logits, labels = scored(batch_size)
    loss, _ = timed(loss_functions.cross_entropy, logits, labels, bytes=2 * logits.nbytes)
    expected = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
@pytest.mark.parametrize("batch_size", grouped(CROSS_ENTROPY, [32, 1024]))
def test_cross_entropy_speed(loss_functions, timed, device, batch_size, implementation):
    logits, labels = scored(batch_size)
    z, y = torch.from_numpy(logits).to(device), torch.from_numpy(labels).to(device)
    targets = F.one_hot(y, 10).float()

    def explicit():
        log_probabilities = z - z.logsumexp(dim=1, keepdim=True)  # (B, 10)
        return -(targets * log_probabilities).sum() / len(z), (log_probabilities.exp() - targets) / len(z)

    def library():
        loss = F.cross_entropy(z, y)
        return loss, *torch.autograd.grad(loss, z)

    if implementation == "torch, library":
        z.requires_grad_()
    _, gradient = timed(explicit if "explicit" in implementation else library, bytes=2 * logits.nbytes)
    _, expected = loss_functions.cross_entropy(logits, labels)
    np.testing.assert_allclose(gradient.detach().cpu(), expected, rtol=1e-4, atol=1e-8)


FORWARD = "forward pass of the 64-64-10 network, batch {}, float32"
STEP = "training step of the 64-64-10 network, batch {}, float32"
N_WEIGHTS = 64 * 64 + 10 * 64


def digits_batch(mlp_numpy, batch_size):
    return mlp_numpy.images[:batch_size].astype(np.float32), mlp_numpy.labels[:batch_size]


@pytest.mark.parametrize("implementation", ["loops", "numpy"])
@pytest.mark.parametrize("batch_size", grouped(FORWARD, [32, 1024]))
def test_numpy_forward_speed(forward_pass, mlp_numpy, timed, batch_size, implementation):
    if implementation == "loops" and batch_size > 32:
        pytest.skip("plain Python takes seconds")
    model, network = pair(mlp_numpy, 64, 64, 10, seed=0, dtype=np.float32)
    x, _ = digits_batch(mlp_numpy, batch_size)
    w1, b1, w2, b2 = model.parameters.values()
    flops = 2 * batch_size * N_WEIGHTS
    if implementation == "loops":
        logits = timed(forward_pass.forward_loops, x, [(w1, b1), (w2, b2)], flops=flops)
    else:
        logits = timed(model.forward, x, flops=flops)
    np.testing.assert_allclose(logits, network(torch.from_numpy(x)).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
@pytest.mark.parametrize("batch_size", grouped(FORWARD, [32, 1024]))
def test_forward_speed(mlp_numpy, timed, device, batch_size, implementation):
    model, network = pair(mlp_numpy, 64, 64, 10, seed=0, dtype=np.float32)
    x, _ = digits_batch(mlp_numpy, batch_size)
    expected = model.forward(x)
    inputs, network = torch.from_numpy(x).to(device), network.to(device)
    w1, b1, w2, b2 = network.parameters()

    def explicit():
        return (inputs @ w1.T + b1).relu() @ w2.T + b2  # (B, 64) @ (64, 64) -> (B, 64), @ (64, 10) -> (B, 10)

    with torch.no_grad():
        forward = explicit if "explicit" in implementation else lambda: network(inputs)
        logits = timed(forward, flops=2 * batch_size * N_WEIGHTS)
    np.testing.assert_allclose(logits.cpu(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", ["numpy"])
@pytest.mark.parametrize("batch_size", grouped(STEP, [32, 1024]))
def test_numpy_training_step_speed(mlp_numpy, timed, batch_size, implementation):
    model, network = pair(mlp_numpy, 64, 64, 10, seed=0, dtype=np.float32)
    x, y = digits_batch(mlp_numpy, batch_size)
    expected = F.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y)).item()
    flops = 2 * batch_size * (2 * N_WEIGHTS + 10 * 64)  # the first layer needs no gradient at its input
    loss = timed(mlp_numpy.training_step, model, x, y, 0.0, flops=flops)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
@pytest.mark.parametrize("batch_size", grouped(STEP, [32, 1024]))
def test_training_step_speed(mlp_numpy, timed, device, batch_size, implementation):
    model, network = pair(mlp_numpy, 64, 64, 10, seed=0, dtype=np.float32)
    x, y = digits_batch(mlp_numpy, batch_size)
    expected, logits_gradient = mlp_numpy.cross_entropy(model.forward(x), y)
    inputs, labels = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    network = network.to(device)
    w1, b1, w2, b2 = network.parameters()
    targets = F.one_hot(labels, 10).float()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)

    @torch.no_grad()
    def explicit():
        hidden = torch.addmm(b1, inputs, w1.T).relu()  # (B, 64) @ (64, 64) -> (B, 64)
        logits = torch.addmm(b2, hidden, w2.T)  # (B, 64) @ (64, 10) -> (B, 10)
        log_probabilities = logits - logits.logsumexp(dim=1, keepdim=True)
        loss = -(targets * log_probabilities).sum() / len(inputs)
        delta = (log_probabilities.exp() - targets) / len(inputs)  # (B, 10)
        blame = (delta @ w2) * (hidden > 0)  # (B, 10) @ (10, 64) -> (B, 64)
        gradients = blame.T @ inputs, blame.sum(dim=0), delta.T @ hidden, delta.sum(dim=0)
        for parameter, gradient in zip((w1, b1, w2, b2), gradients):
            parameter -= 0.0 * gradient
        return loss, gradients

    def library():
        loss = F.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, [parameter.grad for parameter in network.parameters()]

    flops = 2 * batch_size * (2 * N_WEIGHTS + 10 * 64)
    loss, gradients = timed(explicit if "explicit" in implementation else library, flops=flops)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    for ours, theirs in zip(model.backward(logits_gradient).values(), gradients, strict=True):
        np.testing.assert_allclose(theirs.cpu(), ours, rtol=1e-3, atol=1e-6)


EPOCH = "training epoch of the 64-64-10 network, 1200 digits, batch 32, float32"


def epoch_setup(mlp_numpy):
    """The two networks with the same weights, and the training digits."""
    model, network = pair(mlp_numpy, 64, 64, 10, seed=0, dtype=np.float32)
    return (
        model,
        network,
        mlp_numpy.images[mlp_numpy.train].astype(np.float32),
        mlp_numpy.labels[mlp_numpy.train],
    )


@pytest.mark.benchmark(group=EPOCH)
@pytest.mark.parametrize("implementation", ["numpy"])
def test_numpy_epoch_speed(mlp_numpy, timed, implementation):
    model, network, x, y = epoch_setup(mlp_numpy)
    rng = np.random.default_rng(0)
    losses = timed(
        mlp_numpy.run_epoch, model, x, y, 0.0, 32, rng, flops=2 * len(x) * (2 * N_WEIGHTS + 10 * 64)
    )
    sizes = [len(part) for part in np.split(np.arange(len(x)), range(32, len(x), 32))]
    expected = F.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y)).item()
    assert np.average(losses, weights=sizes) == pytest.approx(expected, rel=1e-5)


@pytest.mark.benchmark(group=EPOCH)
@pytest.mark.parametrize("implementation", ["torch, library", "torch, indexing"])
def test_epoch_speed(mlp_numpy, timed, device, implementation):
    model, network, x, y = epoch_setup(mlp_numpy)
    expected, _ = mlp_numpy.evaluate(model, x, y)
    inputs, labels, network = (
        torch.from_numpy(x).to(device),
        torch.from_numpy(y).to(device),
        network.to(device),
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    loader = mlp_numpy.DataLoader(mlp_numpy.TensorDataset(inputs, labels), batch_size=32, shuffle=True)

    def epoch():
        if implementation == "torch, library":
            return torch_epoch(network, loader, optimizer)
        parts = torch.randperm(len(inputs), device=device).split(32)
        return torch_epoch(network, ((inputs[part], labels[part]) for part in parts), optimizer)

    losses = timed(epoch, flops=2 * len(x) * (2 * N_WEIGHTS + 10 * 64))
    sizes = [len(part) for part in torch.arange(len(x)).split(32)]
    assert np.average(losses, weights=sizes) == pytest.approx(expected, rel=1e-5)
