"""Chapter 7: what the lessons computed, and how fast their kernels are."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "loss_surface_and_sgd": [
        {"change": {"strength=1e-2": "strength=1e-3"}, "prints": "without         curvature"},
        {
            "change": {"WALKED_RATES = (0.5, 0.9, 1.1)": "WALKED_RATES = (0.5, 0.9, 3.0)"},
            "prints": "3.0 · 2/λ          5.000       5.000",
            "figure": 2,
        },
        {
            "add": "at_start, _ = power_iteration(\n"
            "    lambda v: hessian_vector_product(bare_loss, fresh, v), fresh\n"
            ")\n"
            "print(f'largest curvature {at_start:.3f}, largest rate {2 / at_start:.2f}')",
            "prints": "largest rate",
        },
    ],
    "momentum_and_adam": [
        {"change": {"EPS = 1e-8": "EPS = 1.0"}, "prints": "first steps [-9.99", "figure": 4},
        {
            "change": {
                '"badly scaled": (images * pixel_scales,': '"badly scaled": (images * pixel_scales'
                " / (images * pixel_scales + 1e-9).std(axis=0).clip(0.05),"
            },
            "prints": "badly scaled    ",
            "figure": 5,
        },
        {
            "after": "def rmsprop(w, g, state, lr",
            "add": "def sign_sgd(w, g, state, lr):\n"
            "    w -= lr * np.sign(g)\n\n\n"
            "for rate in (0.3, 0.03):\n"
            "    w = np.array([10.0, 1.0])\n"
            "    for _ in range(60):\n"
            "        sign_sgd(w, valley_gradient(w, ALONG_AXES), {}, rate)\n"
            "    print(f'rate {rate}   loss {valley_loss(w[None], ALONG_AXES)[0]:.3f}')",
            "prints": "rate 0.03   loss",
        },
    ],
    "data_parallel": [
        {"change": {"BANDWIDTH = 1e10": "BANDWIDTH = 1e12"}, "figure": 1},
        {"change": {"CRASH_AT = 12": "CRASH_AT = 3"}, "raises": "rank 1 dies at step 3"},
        {
            "after": "def ring_all_reduce",
            "add": "def star_all_reduce(vectors):\n"
            "    total = vectors[0].copy()\n"
            "    traffic = np.zeros(len(vectors), dtype=int)  # sent and received\n"
            "    for worker in range(1, len(vectors)):\n"
            "        total += vectors[worker]\n"
            "        traffic[[0, worker]] += 2 * len(total)\n"
            "    for vector in vectors:\n"
            "        vector[:] = total\n"
            "    return traffic\n\n\n"
            "print('star, sent and received:', star_all_reduce([rng.normal(size=1000) for _ in range(8)]))",
            "prints": "star, sent and received: [14000  2000",
        },
    ],
    "lr_schedules": [
        {
            "change": {'"falling": 0.5 / (1 + 0.5 * steps),': '"falling": 0.5 / (1 + 0.5 * steps) ** 2,'},
            "figure": 1,
        },
        {
            "change": {"HIGH_RATE = 0.1": "HIGH_RATE = 0.01"},
            "prints": "loss at the end, no warm-up",
            "figure": 6,
        },
        {
            "add": "def linear_to_zero(step, lr, n_steps):\n"
            "    return lr * (1 - step / n_steps)\n\n\n"
            "line = partial(linear_to_zero, lr=1.0, n_steps=HORIZON)\n"
            "line_losses, _ = judge(train(line, [0.08] * N_SEEDS, range(N_SEEDS))[0], 'test')\n"
            "cosine_loss = results['cosine']['losses'].mean()\n"
            "print(f'straight line {line_losses.mean():.3f}, cosine {cosine_loss:.3f}')",
            "prints": "straight line 0.5",
        },
    ],
    "diagnostics": [
        {
            "change": {
                '"E": {"learning_rate": 200 * healthy.learning_rate},': '"E": {"learning_rate": 0.01 '
                "* healthy.learning_rate},"
            },
            "prints": "E         update_ratio",
            "figure": 3,
        },
        {
            "change": {
                '"F": {"y": y_train.roll(1)},': '"F": {"y": torch.where(torch.arange(n_train) < 100, '
                "y_train.roll(1), y_train)},"
            },
            "prints": "F         no alarm",
            "figure": 3,
        },
        {
            "add": "def frozen_part(loop):\n"
            "    model, optimizer = new_run(loop)\n"
            "    before = [w.detach().clone() for w in model.parameters()]\n"
            "    backward(loop, model, optimizer, torch.arange(32))\n"
            "    optimizer.step()\n"
            "    return sum(torch.equal(w, v) for w, v in zip(model.parameters(), before))\n\n\n"
            "def half_frozen():\n"
            "    model = norm_model()\n"
            "    model[0].requires_grad_(False)\n"
            "    return model\n\n\n"
            "print('frozen:', frozen_part(healthy), frozen_part(replace(healthy, make_model=half_frozen)))",
            "prints": "frozen: 0 2",
        },
    ],
    "gradient_health": [
        {
            "change": {
                'GAINS = {"too small": 0.5, "right": 1.0, "too large": 3.0}': "GAINS = "
                '{"too small": 0.8, "right": 1.0, "too large": 1.5}'
            },
            "prints": "too large",
            "figure": 1,
        },
        {"change": {"BROKEN_EVERY = 50": "BROKEN_EVERY = 2"}, "prints": "clipped     ", "figure": 4},
        {
            "add": "for bias in (-3.0, 0.0):\n"
            "    model = new_model(1, nn.ReLU, 2**0.5)\n"
            "    nn.init.constant_(model[0].bias, bias)\n"
            "    before = firing_shares(model)\n"
            "    train(model, 0.05, 150)\n"
            "    after = firing_shares(model)\n"
            "    print(f'bias {bias:.0f}: fire for {before.mean():.2f} of the images, '\n"
            "          f'after training {after.mean():.2f}, accuracy {accuracy(model):.2f}')",
            "prints": "bias 0: fire for 0.",
        },
    ],
    "bias_variance": [
        {"change": {"SIGMA = 1.0": "SIGMA = 0.2"}, "figure": 1},
        {"change": {'"narrow": (2, 600)': '"narrow": (2, 150)'}, "prints": "narrow  error on", "figure": 3},
        {
            "after": "def error_rates(models, n_rows, seed)",
            "add": "for n_rows in (150, 300, 600, 1200):\n"
            "    rates = error_rates([train(128, n_rows, 0)[0]], n_rows, 0)\n"
            "    print(f'{n_rows:5d} rows: training error {rates[0]:.1%}, validation error {rates[1]:.1%}')",
            "prints": "1200 rows: training error",
        },
    ],
    "experiment_design": [
        {"change": {"NOISE = 0.5": "NOISE = 0.1"}, "prints": "gain, paired"},
        {
            "change": {
                "run([noisy] * n_seeds, main_seeds)[0]": "run([noisy] * n_seeds, main_seeds + 500)[0]"
            },
            "prints": "gain, paired",
            "figure": 1,
        },
        {
            "add": "validation, others, _ = run([noisy] * 256, np.arange(7000, 7256))\n"
            "best = validation.reshape(4, 64).argmax(axis=1) + 64 * np.arange(4)\n"
            "more_luck = validation[best].mean() - validation.mean() - others[best].mean() + others.mean()\n"
            "print(f'luck among 16: {luck:+.4f}, among 64: {more_luck:+.4f}')",
            "prints": "luck among 16",
        },
    ],
}


@pytest.fixture
def loss_surface_and_sgd(lesson):
    return lesson("loss_surface_and_sgd")


@pytest.fixture
def momentum_and_adam(lesson):
    return lesson("momentum_and_adam")


@pytest.fixture
def lr_schedules(lesson):
    return lesson("lr_schedules")


@pytest.fixture
def diagnostics(lesson):
    return lesson("diagnostics")


@pytest.fixture
def gradient_health(lesson):
    return lesson("gradient_health")


@pytest.fixture
def bias_variance(lesson):
    return lesson("bias_variance")


@pytest.fixture
def experiment_design(lesson):
    return lesson("experiment_design")


@pytest.fixture
def data_parallel(lesson):
    return lesson("data_parallel")


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
    f = lambda w: (torch.tanh(w).sum() ** 3 + (w * w * w).sum()).exp().log1p()
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
    product = lambda v: loss_surface_and_sgd.hessian_vector_product(f, torch.zeros(n, dtype=torch.float64), v)
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
    w = torch.randn(sum(m.sizes), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pull = m.gradient_at(m.penalised_loss, w) - m.gradient_at(m.bare_loss, w)
    torch.testing.assert_close(pull, 0.01 * w, rtol=1e-8, atol=1e-12)


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
    f = lambda w: w[1] + 10 * w[2] + 100 * w[0]
    offsets, values = loss_surface_and_sgd.slice_of_loss(f, w, (first, second), 2.0, n=3)
    np.testing.assert_allclose(offsets, [-2, 0, 2])
    np.testing.assert_allclose(values, 100 + offsets + 10 * offsets[:, None])


def test_distance_grows_as_the_largest_curvature_says(loss_surface_and_sgd):
    m = loss_surface_and_sgd
    for share in (0.9, 1.1):
        distances = np.array(m.walks[share]["distances"])
        np.testing.assert_allclose(distances[1:11] / distances[:10], abs(1 - 2 * share), rtol=0.01)
    assert len(m.walks[1.1]["losses"]) == 400


@pytest.mark.parametrize("size", [-1e-4, 1e-3, -1e-3, 1e-2])
def test_above_the_limit_every_walk_leaves_again(loss_surface_and_sgd, size):
    """From other starts along the steepest direction, on either side."""
    m = loss_surface_and_sgd
    w, above = m.bottom + size * m.direction, []
    for _ in range(500):
        above.append((m.penalised_loss(w) - m.penalised_loss(m.bottom)).item() > 1e-3)
        w = w - 1.1 * 2 / m.steepest * m.gradient_at(m.penalised_loss, w)
    assert np.sum(np.diff(np.array(above).astype(int)) == 1) >= 2


def test_count_of_steps_matches_the_closed_form(loss_surface_and_sgd):
    for ratio, n_steps in loss_surface_and_sgd.steps_needed.items():
        factor = (ratio - 1) / (ratio + 1)
        expected = 1 if factor == 0 else int(np.ceil(np.log(1e-3) / np.log(factor)))
        assert n_steps == expected
    assert loss_surface_and_sgd.count_steps(10, share=2.0) == 0


def test_the_penalty_makes_the_bowl(loss_surface_and_sgd):
    with_penalty, without = loss_surface_and_sgd.eigenvalues.values()
    torch.testing.assert_close(with_penalty, without + 0.01, rtol=0, atol=1e-8)
    assert with_penalty[0] > 0 > without[0]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_delay_at_the_saddle_follows_its_curvature(loss_surface_and_sgd, seed):
    m = loss_surface_and_sgd
    steps = []
    for size in (1e-2, 1e-4):
        torch.manual_seed(seed)
        w = size * torch.randn(sum(m.sizes), dtype=torch.float64)
        step = 0
        while m.bare_loss(w) > 1.5 and step < 300:
            w = w - m.SADDLE_RATE * m.gradient_at(m.bare_loss, w)
            step += 1
        steps.append(step)
    assert (steps[1] - steps[0]) / 2 == pytest.approx(m.predicted_delay, rel=0.25)


def test_noise_falls_with_the_square_root_of_the_batch(loss_surface_and_sgd):
    m = loss_surface_and_sgd
    assert m.slope == pytest.approx(-0.5, abs=0.02)
    expected = m.spread / np.sqrt(m.batch_sizes)
    np.testing.assert_allclose(m.noise["with replacement"], expected, rtol=0.1)
    left = np.sqrt((m.n - m.batch_sizes) / (m.n - 1))
    np.testing.assert_allclose(m.noise["without"], expected * left, rtol=0.1)


def test_race_counts_steps_and_examples(loss_surface_and_sgd):
    m = loss_surface_and_sgd
    run = m.race(16, 0.8, seed=9, target=1.0, most_steps=400)
    curve = run["curve"]
    assert run["steps"] == curve[-1, 0] and run["examples"] == 16 * run["steps"] and run["seconds"] > 0
    assert curve[-1, 1] < 1.0 <= curve[:-1, 1].min()
    assert np.all(np.diff(curve[:, 0]) == 4)
    assert m.race(16, 0.0, seed=9, most_steps=8)["steps"] == np.inf


def test_larger_batches_save_steps_and_cost_examples(loss_surface_and_sgd):
    m = loss_surface_and_sgd
    few, everything = m.race(4, 0.4, seed=7), m.race(1797, 2.0, seed=7)
    assert few["steps"] > 4 * everything["steps"] and few["examples"] < everything["examples"] / 8


# 7.2 momentum_and_adam

RULES = {
    "sgd": (torch.optim.SGD, [{}, {"momentum": 0.5}, {"momentum": 0.9, "dampening": 0.4}]),
    "adagrad": (torch.optim.Adagrad, [{}, {"eps": 1e-3}]),
    "rmsprop": (torch.optim.RMSprop, [{}, {"alpha": 0.5, "eps": 1e-3}, {"momentum": 0.7}]),
    "adam": (torch.optim.Adam, [{}, {"betas": (0.5, 0.7), "eps": 1e-2}]),
    "adamw": (torch.optim.AdamW, [{}, {"betas": (0.5, 0.7), "eps": 1e-2}]),
}
CASES = [(rule, library, options) for rule, (library, many) in RULES.items() for options in many]
CASES += [("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True})]


@pytest.mark.parametrize("rule, library, options", CASES)
@pytest.mark.parametrize("weight_decay", [None, 0.0, 0.3])
def test_rule_matches_torch_optim(momentum_and_adam, rule, library, options, weight_decay):
    """A hundred steps in float64 on three groups, with gradients that differ by a million in size."""
    m = momentum_and_adam
    if weight_decay is not None:
        options = {**options, "weight_decay": weight_decay}
    rng = np.random.default_rng(0)
    ours = [rng.normal(size=shape) for shape in ((3, 1, 2), (1,), (5,), (2, 7))]
    theirs = [torch.tensor(w, requires_grad=True) for w in ours]

    def groups(params):
        return [
            {"params": params[:1]},
            {"params": params[1:3], "lr": 0.1},
            {"params": params[3:], "weight_decay": 0.7},
        ]

    optimizer = m.Optimizer(getattr(m, rule), groups(ours), lr=0.02, **options)
    library_optimizer = library(groups(theirs), lr=0.02, **options)
    for _ in range(100):
        grads = [10 ** rng.uniform(-3, 3) * rng.normal(size=w.shape) for w in ours]
        optimizer.step(grads)
        for w, g in zip(theirs, grads, strict=True):
            w.grad = torch.from_numpy(g)
        library_optimizer.step()
        for w, v in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(w, v.detach(), rtol=1e-12, atol=1e-12)


def test_rules_step_in_place_and_take_tensors(momentum_and_adam):
    m = momentum_and_adam
    for rule in (m.sgd, m.adagrad, m.rmsprop, m.adam, m.adamw):
        array, tensor = np.array([1.0, -2.0]), torch.tensor([1.0, -2.0], dtype=torch.float64)
        kept, state, tensor_state = array, {}, {}
        for g in ([0.1, -3.0], [0.4, 2.0]):
            rule(array, np.array(g), state, lr=0.1)
            rule(tensor, torch.tensor(g, dtype=torch.float64), tensor_state, lr=0.1)
        assert kept is array and array[0] != 1
        np.testing.assert_allclose(array, tensor, rtol=1e-12)


def test_optimizer_names_both_shapes(momentum_and_adam):
    optimizer = momentum_and_adam.Optimizer(momentum_and_adam.sgd, [{"params": [np.ones((3, 2))]}], lr=0.1)
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(2,\)"):
        optimizer.step([np.ones(2)])


@pytest.mark.parametrize("grads", [[], [np.ones(2), np.ones(2)]])
def test_optimizer_counts_gradients(momentum_and_adam, grads):
    optimizer = momentum_and_adam.Optimizer(momentum_and_adam.sgd, [{"params": [np.ones(2)]}], lr=0.1)
    with pytest.raises(ValueError, match=f"1 parameters, but {len(grads)} gradients"):
        optimizer.step(grads)


def test_optimizer_refuses_whole_numbers(momentum_and_adam):
    for w in (np.ones(2, dtype=int), torch.ones(2, dtype=torch.int64)):
        optimizer = momentum_and_adam.Optimizer(momentum_and_adam.sgd, [{"params": [w]}], lr=0.1)
        with pytest.raises(ValueError, match="int64 cannot take a step"):
            optimizer.step([w])


@pytest.mark.parametrize("g", [1e-12, -1e-8, 0.3, -1e8])
def test_first_step_of_adam_forgets_the_size_of_the_gradient(momentum_and_adam, g):
    w = np.array([2.0])
    momentum_and_adam.adam(w, np.array([g]), {}, lr=0.01)
    np.testing.assert_allclose(w - 2, -0.01 * g / (abs(g) + 1e-8), rtol=1e-6, atol=1e-15)


def test_uncorrected_adam_steps_by_the_ratio_of_biases(momentum_and_adam):
    t = np.arange(1, 3001)
    expected = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
    np.testing.assert_allclose(momentum_and_adam.step_lengths["without"], expected, rtol=1e-5)


def test_numbers_kept_are_counted(momentum_and_adam):
    kept = momentum_and_adam.numbers_kept
    assert kept["AdaGrad"] == kept["Nesterov"] == kept["RMSProp"] == 1
    assert kept["Adam"] == kept["RMSProp, momentum"] == 2


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_sgd_keeps_no_array_of_the_caller(momentum_and_adam, options):
    """The next gradient is written into the same memory, as `zero_grad(set_to_none=False)` does."""
    w, g, state = np.array([0.0]), np.array([1.0]), {}
    theirs = torch.zeros(1, dtype=torch.float64)
    theirs.grad = torch.ones(1, dtype=torch.float64)
    optimizer = torch.optim.SGD([theirs], lr=1.0, **options)
    for gradient in (1.0, 0.0, -2.0):
        g[:] = gradient
        theirs.grad.fill_(gradient)
        momentum_and_adam.sgd(w, g, state, lr=1.0, **options)
        optimizer.step()
        np.testing.assert_allclose(w, theirs.numpy(), rtol=1e-12)
        assert g[0] == gradient


@pytest.mark.parametrize("rule", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
def test_rules_keep_float32_and_take_whole_gradients(momentum_and_adam, rule):
    rule = getattr(momentum_and_adam, rule)
    w = np.ones((2, 3), dtype=np.float32)
    g, whole, whole_g = np.full((2, 3), 3.0, dtype=np.float32), np.ones((2, 3)), np.full((2, 3), 3)
    state, whole_state = {}, {}
    for _ in range(3):
        rule(w, g, state, lr=0.1)
        rule(whole, whole_g, whole_state, lr=0.1)
    assert w.dtype == np.float32 and {np.asarray(v).dtype for k, v in state.items() if k != "t"} <= {w.dtype}
    np.testing.assert_allclose(w, whole, rtol=1e-5)
    empty = np.empty((0, 3))
    rule(empty, np.empty((0, 3)), {}, lr=0.1)
    order = np.asfortranarray(np.ones((2, 3)))
    rule(order, np.asfortranarray(np.full((2, 3), 3.0)), {}, lr=0.1)
    once = np.ones((2, 3))
    rule(once, np.full((2, 3), 3.0), {}, lr=0.1)
    np.testing.assert_allclose(order, once, rtol=1e-12)


def test_walk_matches_the_closed_form_and_the_rules(momentum_and_adam):
    m = momentum_and_adam
    for axes in (m.ALONG_AXES, m.TURNED):
        path = m.walk(0.01, axes=axes)
        own = path @ axes
        expected = np.array([10.0, 1.0]) * (1 - 0.01 * np.array([1, 50.0])) ** np.arange(61)[:, None]
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(m.valley_loss(path, axes), (expected**2 @ [1, 50]) / 2, rtol=1e-9)
        for rule, options, knobs in (
            (m.sgd, {"momentum": 0.7}, {"momentum": 0.7}),
            (m.adagrad, {}, {"divide": True}),
        ):
            w, state = axes @ np.array([10.0, 1.0]), {}
            for point in m.walk(0.01, axes=axes, n_steps=9, **knobs):
                np.testing.assert_allclose(w, point, rtol=1e-10)
                rule(w, m.valley_gradient(w, axes), state, lr=0.01, **options)


def test_stored_point_of_nesterov_is_the_look_ahead_point(momentum_and_adam):
    m = momentum_and_adam
    np.testing.assert_allclose(m.stored, m.behind - 0.02 * 0.8 * m.velocity, rtol=1e-10)
    assert abs(m.stored[0] - m.behind[0]) > 0.01


def test_each_of_many_networks_trains_as_if_alone(momentum_and_adam):
    m = momentum_and_adam
    many = m.train(m.adam, {}, [0.01, 0.001, 0.01], [5, 5, 6], n_steps=12)
    alone = m.train(m.adam, {}, [0.001], [5], n_steps=12)
    np.testing.assert_allclose(many[2][:, 1], alone[2][:, 0], rtol=1e-4)
    assert many[0].shape == (3,) and many[2].shape == (12, 3)
    np.testing.assert_allclose([many[0][1], many[1][1]], [alone[0][0], alone[1][0]], atol=0.01)
    assert many[2][0, 0] == pytest.approx(many[2][0, 1]) and many[2][0, 2] != many[2][0, 0]


def test_stacked_networks_match_nn_linear(momentum_and_adam):
    m = momentum_and_adam
    params = m.new_networks([torch.Generator().manual_seed(seed) for seed in range(3)])
    assert params[0].var().item() == pytest.approx(2 / 64, rel=0.1)
    assert params[2].var().item() == pytest.approx(1 / 32, rel=0.2)
    params = [w + 0.1 for w in params]
    x = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(0))
    out = m.scores(params, x)
    for i in range(3):
        hidden = F.linear(x[i], params[0][i], params[1][i, 0]).relu()
        torch.testing.assert_close(out[i], F.linear(hidden, params[2][i], params[3][i, 0]))


def test_factors_leave_the_function_as_it_is(momentum_and_adam):
    m = momentum_and_adam
    networks = [
        m.new_networks([torch.Generator().manual_seed(1)], factors) for factors in ((1, 1), (0.1, 10))
    ]
    x = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(m.scores(networks[0], x), m.scores(networks[1], x, (0.1, 10)))
    torch.testing.assert_close(networks[1][0], 10 * networks[0][0])


@pytest.mark.parametrize("task, low, high", [("as they are", -0.02, 0.02), ("badly scaled", 0.02, 0.1)])
def test_gain_of_adam_on_other_seeds(momentum_and_adam, task, low, high):
    m, seeds = momentum_and_adam, list(range(40, 52))
    found = {}
    for name, (rule, options, _) in m.CONTEST.items():
        found[name] = m.train(rule, options, [m.tuned[task, name]] * 12, seeds, task)[1].mean()
    assert low < found["Adam"] - found["SGD"] < high


# 7.3 lr_schedules


@pytest.mark.parametrize("lr", [0.3, 2.0])
@pytest.mark.parametrize("n_steps", [5, 37])
def test_schedules_match_their_schedulers(lr_schedules, lr, n_steps):
    m, s = lr_schedules, torch.optim.lr_scheduler
    up, down = (lambda t: m.linear_warmup(t, lr, 3, start=0.2)), (lambda t: m.exponential(t, lr, 0.9))
    pairs = [
        (lambda t: m.step_decay(t, lr, 2, gamma=0.5), lambda o: s.StepLR(o, 2, gamma=0.5)),
        (lambda t: m.exponential(t, lr, 0.8), lambda o: s.ExponentialLR(o, 0.8)),
        (lambda t: m.cosine(t, lr, n_steps, 0.1), lambda o: s.CosineAnnealingLR(o, n_steps, eta_min=0.1)),
        (
            lambda t: m.warm_restarts(t, lr, 4, growth=2, end=0.1),
            lambda o: s.CosineAnnealingWarmRestarts(o, 4, T_mult=2, eta_min=0.1),
        ),
        (lambda t: m.linear_warmup(t, lr, 3, start=0.2), lambda o: s.LinearLR(o, 0.2, total_iters=3)),
        (
            lambda t: m.in_a_row(t, up, down, at=3),
            lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.2, total_iters=3), s.ExponentialLR(o, 0.9)], [3]),
        ),
        (
            lambda t: m.one_cycle(t, lr, n_steps, rise=0.4, start=0.1, end=0.01),
            lambda o: s.OneCycleLR(
                o, lr, n_steps, pct_start=0.4, div_factor=10, final_div_factor=10, cycle_momentum=False
            ),
        ),
    ]
    for ours, theirs in pairs:
        expected = m.library_settings(theirs, n_steps, lr=lr)
        np.testing.assert_allclose([ours(t) for t in range(n_steps)], expected, rtol=1e-10, atol=1e-12)


def test_one_cycle_defaults_are_those_of_torch(lr_schedules):
    theirs = lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.7, 50, cycle_momentum=False)
    expected = lr_schedules.library_settings(theirs, 50)
    np.testing.assert_allclose([lr_schedules.one_cycle(t, 0.7, 50) for t in range(50)], expected, rtol=1e-10)


def test_one_cycle_names_the_step_beyond_its_end(lr_schedules):
    for step in (-1, 10):
        with pytest.raises(ValueError, match=f"step {step} of a cycle with 10"):
            lr_schedules.one_cycle(step, 1.0, 10)


def test_default_warmup_and_cuts(lr_schedules):
    assert lr_schedules.linear_warmup(0, 2.0, 10) == pytest.approx(0.02)
    assert lr_schedules.linear_warmup(99, 2.0, 10) == 2.0
    assert lr_schedules.step_decay(7, 1.0, 3) == pytest.approx(0.01)
    assert lr_schedules.warm_restarts(7, 3.0, 7) == lr_schedules.warm_restarts(14, 3.0, 7) == 3.0
    assert lr_schedules.cosine(4, 3.0, 4) == 0


def test_noisy_descent_rests_where_paper_says(lr_schedules):
    for lr in (0.2, 0.8):
        height = lr_schedules.noisy_descent(np.full(200, lr), np.random.default_rng(1), 20_000)
        assert height[-1] == pytest.approx(lr / (2 - lr) / 2, rel=4 * (2 / 20_000) ** 0.5)
        assert height[0] == 50 and len(height) == 201


def test_momentum_step_matches_torch_optim(lr_schedules):
    torch.manual_seed(0)
    ours = [torch.randn(3, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    theirs = [w.clone().requires_grad_() for w in ours]
    optimizer = torch.optim.SGD(theirs, lr=0.1, momentum=0.9)
    state = {}
    for _ in range(30):
        grads = [torch.randn_like(w) for w in ours]
        lr_schedules.momentum_step(ours, grads, state, 0.1)
        for w, g in zip(theirs, grads):
            w.grad = g.clone()
            g.zero_()  # the state must not live in the caller's gradient
        optimizer.step()
    for w, v in zip(ours, theirs):
        torch.testing.assert_close(w, v.detach(), rtol=1e-10, atol=1e-12)


def test_stacked_training_matches_one_plain_network(lr_schedules):
    m = lr_schedules
    schedule = lambda step: 1.0 - 0.1 * step
    params, history = m.train(schedule, [0.05, 0.02], [3, 4], n_steps=8, batch_size=16)
    generator = torch.Generator().manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Linear(196, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    with torch.no_grad():
        for linear in model[::2]:
            linear.weight.copy_(torch.randn(linear.weight.shape, generator=generator))
            linear.weight.mul_((2 / linear.in_features) ** 0.5)
            linear.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for step in range(8):
        rows = torch.randint(4000, (16,), generator=generator)
        optimizer.param_groups[0]["lr"] = 0.02 * schedule(step)
        loss = F.cross_entropy(model(m.x_all[rows]), m.y_all[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert history[step, 1] == pytest.approx(loss.item(), rel=1e-4)
    x, y = m.splits["test"]
    losses, accuracies = m.judge(params, "test")
    assert losses[1] == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-4)
    assert accuracies[1] == pytest.approx((model(x).argmax(dim=1) == y).double().mean().item(), abs=0.003)


def test_images_are_standardised_at_half_resolution(lr_schedules):
    x = lr_schedules.splits["training"][0]
    assert x.shape == (4000, 196) and abs(x.mean()) < 1e-5
    first = (lr_schedules.train_images[0, :2, 2:4].mean() - lr_schedules.center) / lr_schedules.spread
    torch.testing.assert_close(x[0, 1], first)


def test_smooth_falls_beat_the_constant_rate(lr_schedules):
    results = lr_schedules.results
    for name in ("cosine", "warm-up, cosine", "one-cycle"):
        assert results[name]["interval"][1] < 0
    assert 0.005 < lr_schedules.suggested < 0.1


def test_schedules_are_never_negative(lr_schedules):
    for schedule in lr_schedules.schedules.values():
        assert min(schedule(step) for step in range(lr_schedules.HORIZON)) >= 0
    assert lr_schedules.linear_warmup(0, 2.0, 0) == 2.0  # no steps of warm-up
    assert min(lr_schedules.cosine(step, 1.0, 7) for step in range(30)) >= 0


def test_resumed_run_is_the_run_that_never_stopped(lr_schedules):
    m = lr_schedules
    assert m.gaps["all"] == 0 and m.resumed_rates["all"] == m.straight_rates[3 * m.n_batches :]
    assert len(m.straight_rates) == m.N_EPOCHS * m.n_batches
    expected = m.library_settings(
        lambda o: m.warmup_then_cosine(o, 20, m.N_EPOCHS * 40), m.N_EPOCHS * 40, 0.1
    )
    np.testing.assert_allclose(m.straight_rates, expected, rtol=1e-8)


def test_curvature_matches_the_whole_hessian(lr_schedules):
    m = lr_schedules
    params, _ = m.new_networks([3], (196, 2, 10))

    def loss(first, second):
        new = [first[None], params[1], second[None], params[3]]
        return F.cross_entropy(m.scores(new, m.x_all[None, :1000])[0], m.y_all[:1000])

    small = [params[0][0, :, :3].detach(), params[2][0].detach()]
    whole = torch.autograd.functional.hessian(
        lambda v: loss(torch.cat([v, params[0][0, :, 3:].detach()], dim=1), small[1]), small[0]
    ).reshape(6, 6)
    assert m.largest_curvature(params, 0, n_steps=60) > torch.linalg.eigvalsh(whole)[-1].item()
    longer = m.largest_curvature(params, 0, n_steps=120)
    assert m.largest_curvature(params, 0, n_steps=60) == pytest.approx(longer, rel=0.02)


def test_warm_up_saves_sharp_starts_on_other_seeds(lr_schedules):
    m, last = lr_schedules, {}
    for name, schedule in (("warm", m.climb), ("cold", lambda step: 1.0)):
        options = {"n_steps": 120, "sizes": m.DEEP, "gain": m.GAIN}
        last[name] = np.nan_to_num(
            m.train(schedule, [m.HIGH_RATE] * 4, range(20, 24), **options)[1], nan=99.0
        )
    assert np.median(last["warm"][-20:]) < 0.8 * np.median(last["cold"][-20:])


def test_first_steps_of_adam_are_its_wildest(lr_schedules):
    assert lr_schedules.step_spread[0] > 2 * lr_schedules.step_spread[-1]
    assert np.all(np.diff(lr_schedules.divisor_spread[:20]) < 0)


# 7.4 diagnostics


def test_checks_name_the_faults_on_another_seed(diagnostics, monkeypatch):
    """The same table from other weights: an alarm is no accident of seed 0."""
    m, fresh = diagnostics, diagnostics.new_run
    monkeypatch.setattr(m, "new_run", lambda loop, seed=0: fresh(loop, seed + 5))
    for name, check in m.EXPECTED.items():
        found = m.alarms_of({check: getattr(m, check)(m.faulty_loops[name])})
        assert found == [check]
        assert m.alarms_of({check: getattr(m, check)(m.healthy)}) == []


@pytest.mark.parametrize("library", [torch.optim.SGD, torch.optim.Adam])
def test_training_matches_a_plain_loop(diagnostics, library):
    m = diagnostics
    loop = m.replace(m.healthy, make_optimizer=lambda model, rate: library(model.parameters(), lr=rate))
    model, losses, validation, accuracy = m.train(loop, n_epochs=1, seed=3)
    torch.manual_seed(3)
    theirs = m.norm_model()
    optimizer, generator = library(theirs.parameters(), lr=0.02), torch.Generator().manual_seed(3)
    theirs.eval()
    with torch.no_grad():
        assert validation[0] == pytest.approx(F.cross_entropy(theirs(m.x_validation), m.y_validation).item())
    theirs.train()
    for loss, rows in zip(losses, torch.randperm(1000, generator=generator).split(32), strict=True):
        expected = F.cross_entropy(theirs(m.x_train[rows]), m.y_train[rows])
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    theirs.eval()
    with torch.no_grad():
        logits = theirs(m.x_validation)
    assert validation[1] == pytest.approx(F.cross_entropy(logits, m.y_validation).item(), rel=1e-4)
    assert accuracy == pytest.approx((logits.argmax(1) == m.y_validation).double().mean().item())


def test_epochs_see_every_row_once(diagnostics):
    batches = diagnostics.shuffled_batches(100, torch.Generator().manual_seed(0))
    assert [len(rows) for rows in batches] == [32, 32, 32, 4]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(100))
    _, losses, validation, _ = diagnostics.train(diagnostics.healthy, n_epochs=2)
    assert len(losses) == 64 and len(validation) == 3


def test_faulty_losses_are_what_they_claim(diagnostics):
    logits, y = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 9, 3, 3, 1])
    losses = diagnostics.losses_on_axis_0(logits, y)
    for i in range(5):
        expected = -logits[i, y[i]] + logits[:, y[i]].logsumexp(dim=0)
        torch.testing.assert_close(losses[i], expected)


def shifted_by(d):
    return lambda logits, y: F.cross_entropy(logits, y, reduction="none") + d


@pytest.mark.parametrize(
    "name, change, ill",
    [
        ("class_mix", {"batches": lambda n, _: torch.arange(n).split(4)}, True),
        ("class_mix", {"batches": lambda n, _: torch.arange(n).split(16)}, False),
        ("first_loss", {"losses": shifted_by(-0.5)}, True),
        ("first_loss", {"losses": shifted_by(0.5)}, True),
        ("first_loss", {"losses": shifted_by(-0.15)}, False),
        ("mixing", {"losses": lambda logits, y: (logits - logits.mean(dim=0)).square().sum(dim=1)}, True),
        ("mixing", {"losses": lambda logits, y: logits.sum(dim=1) + logits[1].sum()}, True),
        ("mixing", {"losses": lambda logits, y: logits.square().sum(dim=1)}, False),
        ("update_ratio", {"learning_rate": 1e-4}, True),
        ("update_ratio", {"learning_rate": 4.0}, True),
        ("update_ratio", {"learning_rate": 0.01}, False),
        ("stale_gradient", {"learning_rate": 0.2}, False),
        (
            "stale_gradient",
            {"make_optimizer": lambda model, rate: torch.optim.Adam(model.parameters())},
            False,
        ),
        ("stale_gradient", {"clear_gradients": False, "learning_rate": 0.0}, True),
    ],
)
def test_checks_on_other_loops(diagnostics, name, change, ill):
    loop = diagnostics.replace(diagnostics.healthy, **change)
    assert bool(diagnostics.alarms_of({name: getattr(diagnostics, name)(loop)})) == ill


def test_a_value_that_is_no_number_is_an_alarm(diagnostics):
    assert diagnostics.alarms_of({"one_batch": float("nan")}) == ["one_batch"]


def test_neighbours_forgive_a_tenth_of_wrong_labels(diagnostics):
    m = diagnostics
    y = m.y_train.clone()
    y[:100] = (y[:100] + 1) % 10
    assert m.neighbours(m.replace(m.healthy, y=y)) > 0.5
    y[:600] = (m.y_train[:600] + torch.arange(600) % 9 + 1) % 10
    assert m.neighbours(m.replace(m.healthy, y=y)) < 0.5


def test_leaks_are_counted(diagnostics):
    x = torch.arange(12.0).reshape(6, 2)
    assert diagnostics.leaked(x[:4], x[3:]) == 1
    assert diagnostics.leaked(x[:4], x[4:]) == 0


# 7.5 gradient_health


def test_gauges_read_gradients_of_every_layer_and_come_off(gradient_health):
    torch.manual_seed(1)
    layers = [torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)]
    model = torch.nn.Sequential(*layers).double()
    x, cotangent = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 1, dtype=torch.float64)
    with gradient_health.Gauges(layers) as gauges:
        (model(x) * cotangent).sum().backward()
        h = layers[0](x)
        a = h.relu()
        out = layers[2](a)
        expected = torch.autograd.grad((out * cotangent).sum(), [h, a, out])
        outputs = (h, a, out)
        with torch.no_grad():
            model(x)  # no gradient to wait for
    for gauge, output, grad in zip(gauges, outputs, expected, strict=True):
        torch.testing.assert_close(gauge.output, output.detach())
        torch.testing.assert_close(gauge.gradient, grad, rtol=1e-10, atol=1e-12)
    assert not any(layer._forward_hooks for layer in layers)


def test_gauges_come_off_after_an_error(gradient_health):
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError), gradient_health.Gauges([layer]):
        layer(torch.ones(1, 3))
    assert not layer._forward_hooks


@pytest.mark.parametrize("limit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shapes", [((1,),), ((3, 2), (7,)), ((2, 3, 5), (1, 1), (4,))])
def test_clipping_matches_torch(gradient_health, limit, shapes):
    rng = np.random.default_rng(0)
    grads = [3 * rng.normal(size=shape) for shape in shapes]
    kept = [g.copy() for g in grads]

    def clipped_by(library):
        params = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes]
        for w, g in zip(params, grads):
            w.grad = torch.from_numpy(g.copy())
        return library(params, limit), [w.grad.numpy() for w in params]

    ours, norm = gradient_health.clip_by_norm(grads, limit)
    expected_norm, expected = clipped_by(torch.nn.utils.clip_grad_norm_)
    assert norm == pytest.approx(expected_norm.item())
    for g, e in zip(ours, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=3e-6)
    for g, e in zip(
        gradient_health.clip_by_value(grads, limit),
        clipped_by(torch.nn.utils.clip_grad_value_)[1],
        strict=True,
    ):
        np.testing.assert_allclose(g, e, rtol=1e-10)
    for g, before in zip(grads, kept):
        np.testing.assert_array_equal(g, before)  # the arrays given are left alone


def test_clipping_takes_views_and_whole_numbers(gradient_health):
    """Gradients that share memory or are read-only, as autograd hands out; whole numbers; float32."""
    one = np.full(4, 5.0)
    clipped, norm = gradient_health.clip_by_norm([one, one], 1.0)
    assert norm == pytest.approx(10 * 2**0.5) and np.linalg.norm(np.concatenate(clipped)) == pytest.approx(1)
    frozen = np.broadcast_to(3.0, (3,))
    assert gradient_health.clip_by_norm([frozen], 1.0)[0][0].tolist() == pytest.approx([3**-0.5] * 3)
    whole, norm = gradient_health.clip_by_norm([np.array([3, 4])], 1.0)
    np.testing.assert_allclose(whole[0], [0.6, 0.8])
    assert gradient_health.clip_by_norm([np.ones(3, np.float32)], 1.0)[0][0].dtype == np.float32
    zeros, norm = gradient_health.clip_by_norm([np.zeros(2)], 1.0)
    assert norm == 0 and zeros[0].tolist() == [0, 0]


@pytest.mark.parametrize("n_times", [1, 7, 50])
def test_repeated_layer_matches_autograd(gradient_health, n_times):
    w, b = torch.tensor([[3.0, -1.0], [4.1, 0.5]]).double(), torch.tensor([[-1.0, 2.0], [-2.2, 0.3]]).double()
    w.requires_grad_()
    b.requires_grad_()
    x = torch.full_like(w, 0.5)
    for _ in range(n_times):
        x = w * x.sigmoid() + b
    loss = (x.sigmoid() - 0.7) ** 2
    expected = [loss, *torch.autograd.grad(loss.sum(), [w, b])]
    ours = gradient_health.repeated_layer(w.detach().numpy(), b.detach().numpy(), n_times)
    for a, e in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, e.detach(), rtol=1e-8, atol=1e-12)


def test_models_have_the_gain_they_are_given(gradient_health):
    model = gradient_health.new_model(3, torch.nn.ReLU, 1.5)
    linears = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    assert [linear.out_features for linear in linears] == [64, 64, 64, 10] and len(model) == 7
    for linear in linears:
        assert linear.weight.std().item() == pytest.approx(1.5 / linear.in_features**0.5, rel=0.1)
        assert not linear.bias.any()


def test_firing_shares_are_counted(gradient_health):
    m = gradient_health
    model = m.new_model(1, torch.nn.ReLU, 2**0.5)
    with torch.no_grad():
        model[0].bias[:16] = -1e4
        model[0].bias[16:20] = 1e4
    shares = m.firing_shares(model)
    assert shares[:16].tolist() == [0.0] * 16 and shares[16:20].tolist() == [1.0] * 4
    expected = (model[0](m.x_all) > 0).double().mean(dim=0)
    np.testing.assert_allclose(shares, expected.detach())
    few = m.accuracy(model)
    assert few == pytest.approx((model(m.x_all).argmax(1) == m.y_all).double().mean().item())


def test_training_matches_sgd(gradient_health):
    m, seen = gradient_health, []
    ours, theirs = (m.new_model(2, torch.nn.Tanh, 1.0, seed=4) for _ in range(2))
    losses = []
    for step, loss in m.training(ours, 0.1, 3, seed=5):
        seen.append((step, ours[0].weight.grad.norm().item() > 0))
        losses.append(loss)
    generator, optimizer = torch.Generator().manual_seed(5), torch.optim.SGD(theirs.parameters(), lr=0.1)
    for loss in losses:
        rows = torch.randint(5000, (64,), generator=generator)
        expected = F.cross_entropy(theirs(m.x_all[rows]), m.y_all[rows])
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    assert seen == [(0, True), (1, True), (2, True)]
    for w, v in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(w, v)


def test_histograms_are_drawn_as_columns(gradient_health):
    histograms, bins = np.array([[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]), np.array([-3.0, -2.0, -1.0, 0.0])
    fig, ax = plt.subplots()
    gradient_health.draw_histograms(ax, histograms, bins, 0.5, 2.5)
    (image,) = ax.images
    assert image.get_array().tolist() == [[0, 3], [1, 4], [2, 5]] and image.origin == "lower"
    assert tuple(image.get_extent()) == (0.5, 2.5, -3.0, 0.0)
    plt.close(fig)


def test_units_that_hardly_fire_outnumber_the_silent(gradient_health):
    silent, hardly = (
        np.array([gradient_health.fates[shock][name] for shock in gradient_health.SHOCKS])
        for name in ("silent", "hardly fire")
    )
    assert silent[0] == 0 and np.all(np.diff(silent) > 0)
    assert np.all(hardly[1:] > 2 * silent[1:])


def test_the_damage_of_a_shock_sits_in_the_first_layer(gradient_health):
    numbers = gradient_health.fate(2.0, 21)  # a seed of its own
    assert numbers["lost silent"] > numbers["lost rare"] > 1.5 * numbers["shocked"]
    assert numbers["last layer"] > 1.5 * numbers["first layer"]
    assert numbers["hardly fire"] > 0.5 and numbers["growth"] > 3
    unharmed = gradient_health.fate(0.0, 21)  # a shock of length zero damages nothing
    assert unharmed["growth"] == 1 and unharmed["silent"] == 0
    assert unharmed["shocked"] == unharmed["first layer"] == unharmed["last layer"] > 0.7


@pytest.mark.parametrize("seed", [11, 12])
def test_clipping_saves_the_training_on_other_seeds(gradient_health, seed):
    m = gradient_health
    losses, norms = m.clipped_training(m.LIMIT, seed, n_steps=200)
    plain, _ = m.clipped_training(np.inf, seed, n_steps=200)
    assert losses[-1] < 1.0 and not plain[-1] < 1.5 and len(norms) == 200


def test_only_the_clipped_walk_arrives(gradient_health):
    walks = gradient_health.walks
    assert walks["clipped"]["losses"][-1] < 0.01 < 0.05 < walks["plain"]["losses"][-1]
    steps = np.linalg.norm(np.diff(walks["clipped"]["path"], axis=0), axis=1)
    assert steps.max() == pytest.approx(0.1)


# 7.6 bias_variance


def test_truth_is_three_waves(bias_variance):
    x = np.linspace(-1, 1, 9)
    expected = sum(
        a * f(k * 2 * np.pi * (x + 1) / 2)
        for a, (k, f) in zip(
            bias_variance.coefficients[6:], [(k, f) for k in (1, 2, 3) for f in (np.cos, np.sin)], strict=True
        )
    )
    np.testing.assert_allclose(bias_variance.truth(x), expected, rtol=1e-10)
    assert bias_variance.truth(np.array(1.0)) == pytest.approx(bias_variance.truth(np.array(-1.0)))


@pytest.mark.parametrize("degree", [0, 1, 4])
def test_fit_and_predict_match_polyfit(bias_variance, degree):
    rng = np.random.default_rng(degree)
    x, y = rng.uniform(-1, 1, size=7), rng.normal(size=(3, 7))
    new = rng.uniform(-1, 1, size=5)
    weights = bias_variance.fit(x, y, degree)
    for i in range(3):
        expected = np.polynomial.Polynomial.fit(x, y[i], degree)
        np.testing.assert_allclose(bias_variance.predict(weights, new)[i], expected(new), rtol=1e-9)


def test_fit_names_too_few_points(bias_variance):
    with pytest.raises(ValueError, match="3 points .* degree 3"):
        bias_variance.fit(np.arange(3.0), np.ones((1, 3)), 3)


def test_decomposition_is_right_for_known_parts(bias_variance):
    """Predictions drawn with a known bias and variance, at three places."""
    rng = np.random.default_rng(0)
    bias, spread, target = np.array([1.0, -2.0, 0.0]), np.array([0.5, 1.0, 3.0]), np.array([5.0, 0.0, -1.0])
    predictions = target + bias + spread * rng.normal(size=(40_000, 3))
    found = bias_variance.decompose(predictions, target)
    np.testing.assert_allclose(found, [np.mean(bias**2), np.mean(spread**2)], rtol=0.03)


def test_bias_of_few_models_is_not_inflated(bias_variance):
    rng = np.random.default_rng(0)
    found = [bias_variance.decompose(rng.normal(size=(3, 50)), np.zeros(50)) for _ in range(400)]
    assert abs(np.mean([bias for bias, _ in found])) < 0.01
    assert np.mean([variance for _, variance in found]) == pytest.approx(1, abs=0.02)


def test_training_sets_are_truth_and_noise(bias_variance):
    x, y = bias_variance.training_sets(5000, 4, 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(x, [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(y.mean(axis=0), bias_variance.truth(x), atol=4 * 0.5 / 5000**0.5)
    assert np.std(y - bias_variance.truth(x)) == pytest.approx(0.5, rel=0.03)


def test_parts_add_up_to_what_is_measured_on_new_data(bias_variance):
    for degree, row in bias_variance.parts.items():
        assert row["sum"] == pytest.approx(row["bias²"] + row["variance"] + bias_variance.SIGMA**2)
        assert row["sum"] == pytest.approx(bias_variance.new_errors[degree], rel=0.15)


def test_fit_takes_whole_numbers(bias_variance):
    x, y = np.arange(-2, 3), np.array([[4, 1, 0, 1, 4]])
    weights = bias_variance.fit(x, y, 2)
    np.testing.assert_allclose(bias_variance.predict(weights, np.array([3.0])), [[9.0]], rtol=1e-9)


def test_rows_for_validation_are_never_trained_on(bias_variance):
    for n_rows in (1, 150, 1200):
        training, validation = bias_variance.split(n_rows, 3)
        assert len(training) == n_rows and len(validation) == 597
        assert not set(training.tolist()) & set(validation.tolist())
    assert torch.equal(bias_variance.split(150, 3)[1], validation)


def test_error_rates_average_the_probabilities(bias_variance):
    m = bias_variance
    models = [m.train(4, 60, 5, start=start, n_steps=5)[0] for start in (0, 1)]
    training, validation = m.split(60, 5)
    with torch.no_grad():
        p = (models[0](m.x_all[validation]).softmax(1) + models[1](m.x_all[validation]).softmax(1)) / 2
    expected = (p.argmax(1) != m.y_all[validation]).double().mean().item()
    assert m.error_rates(models, 60, 5)[1] == pytest.approx(expected)
    _, history = m.train(4, 60, 5, n_steps=21)
    assert history.shape == (3, 2)


def test_right_remedies_help_on_another_seed(bias_variance):
    m = bias_variance
    error = lambda *args: m.error_rates([m.train(*args)[0]], args[1], args[2])[1]
    assert error(64, 600, 8) < 0.3 * error(2, 600, 8)
    assert error(128, 1200, 8) < 0.7 * error(128, 150, 8)
    line, flexible = m.size_curves[1], m.size_curves[11]
    assert line[-1, 1] > 3 and flexible[-1, 1] < 1.2 and flexible[0, 1] > 5


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 50.0])
def test_ridge_is_stationary(bias_variance, penalty):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, size=6), rng.normal(size=(2, 6))
    w = torch.from_numpy(bias_variance.ridge(x, y, 3, penalty)).requires_grad_()
    basis = torch.from_numpy(np.polynomial.legendre.legvander(x, 3))
    loss = ((w @ basis.T - torch.from_numpy(y)) ** 2).sum() + penalty * (w * w).sum()
    assert torch.autograd.grad(loss, w)[0].abs().max() < 1e-10


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3, 7), (5, 5)])
def test_minimum_norm_matches_the_pseudoinverse(bias_variance, shape):
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=shape), rng.normal(size=(shape[0], 2))
    expected = torch.linalg.pinv(torch.from_numpy(features)).numpy() @ targets
    np.testing.assert_allclose(bias_variance.minimum_norm(features, targets), expected, rtol=1e-8, atol=1e-10)


def test_error_descends_twice(bias_variance):
    for error_rates, squared, _ in bias_variance.descents.values():
        peak = bias_variance.WIDTHS.index(bias_variance.N_ROWS)
        assert np.argmax(squared) == peak and error_rates[peak] > 2 * error_rates[:peak].min()
        assert error_rates[-1] < error_rates[:peak].min()
    clean, noisy = bias_variance.descents.values()
    assert np.all(noisy[0][3:] > clean[0][3:])
    again = bias_variance.double_descent(0.0, seed=11)
    assert again[0][-1] < 0.1 and 0.3 < again[1][2] < 0.7


# 7.7 experiment_design


@pytest.mark.parametrize(
    "freedom, expected", [(4, 2.776), (5, 2.571), (11, 2.201), (30, 2.042), (1000, 1.962)]
)
def test_student_t_matches_the_tables(experiment_design, freedom, expected):
    assert experiment_design.student_t(freedom) == pytest.approx(expected, rel=0.004)


def test_intervals_by_hand(experiment_design):
    a, b = [3.0, 5.0, 4.0, 8.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    t = experiment_design.student_t(4)
    half = t * np.sqrt(2.5 / 5)  # the gains 2, 3, 1, 4, 0 have variance 2.5
    np.testing.assert_allclose(experiment_design.paired_interval(a, b), (2 - half, 2 + half))
    half = experiment_design.student_t(8) * np.sqrt((3.5 + 2.5) / 5)
    np.testing.assert_allclose(experiment_design.unpaired_interval(a, b), (2 - half, 2 + half))


@pytest.mark.parametrize("a, b", [([1.0, 2.0], [1.0, 2.0, 3.0]), ([1.0], [2.0])])
def test_paired_interval_names_the_numbers(experiment_design, a, b):
    with pytest.raises(ValueError, match=f"{len(a)} and {len(b)} scores"):
        experiment_design.paired_interval(a, b)


def test_intervals_hold_the_truth_as_often_as_they_say(experiment_design):
    rng = np.random.default_rng(0)
    hits = {"paired": 0, "unpaired": 0}
    for _ in range(2000):
        shared = 3 * rng.normal(size=12)
        a, b = shared + rng.normal(size=12) + 0.5, shared + rng.normal(size=12)
        for name in hits:
            low, high = getattr(experiment_design, f"{name}_interval")(a, b)
            hits[name] += low < 0.5 < high
    assert 0.93 < hits["paired"] / 2000 < 0.97
    assert hits["unpaired"] / 2000 > 0.99  # too wide: what the seeds share is counted as doubt


def test_expected_best_matches_brute_force(experiment_design):
    values = np.array([3.0, -1.0, 2.0, 10.0])
    for k in (1, 2, 3):
        draws = np.stack(np.meshgrid(*[values] * k), axis=-1).reshape(-1, k)
        assert experiment_design.expected_best(values, k) == pytest.approx(draws.max(axis=1).mean())


def test_standard_error_of_one_draw_is_that_of_the_mean(experiment_design):
    values = np.random.default_rng(0).normal(size=400)
    error = experiment_design.standard_error(values, 1, np.random.default_rng(1), n_times=500)
    assert error == pytest.approx(values.std() / 20, rel=0.15)


def test_log_uniform_spreads_logarithms(experiment_design):
    draws = experiment_design.log_uniform(1e-3, 10.0, 4000, np.random.default_rng(0))
    quartiles = np.quantile(np.log10(draws), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quartiles, [-3, -2, -1, 0, 1], atol=0.1)


@pytest.mark.parametrize("level, expected", [(0.99, 2.797), (0.95, 2.064), (0.9, 1.711)])
def test_student_t_takes_a_level(experiment_design, level, expected):
    assert experiment_design.student_t(24, level) == pytest.approx(expected, rel=0.002)


def test_intervals_get_wider_with_the_level(experiment_design):
    a, b = np.random.default_rng(0).normal(size=(2, 12))
    for interval in (experiment_design.paired_interval, experiment_design.unpaired_interval):
        assert np.ptp(interval(a, b, 0.99)) > np.ptp(interval(a, b)) > np.ptp(interval(a, b, 0.5))


def test_unpaired_interval_names_the_numbers(experiment_design):
    with pytest.raises(ValueError, match="1 and 3 scores"):
        experiment_design.unpaired_interval([1.0], [1.0, 2.0, 3.0])


def test_intervals_take_whole_numbers(experiment_design):
    low, high = experiment_design.paired_interval([3, 5, 4], [1, 2, 3])
    assert (low + high) / 2 == pytest.approx(2)


def test_loss_matches_cross_entropy(experiment_design):
    torch.manual_seed(0)
    shapes = ((2, 32, 64), (2, 1, 32), (2, 10, 32), (2, 1, 10))
    params = [torch.randn(shape) for shape in shapes]
    x, y = torch.randn(2, 7, 64), torch.randint(10, (2, 7))
    losses = experiment_design.losses_of(params, x, y)
    for i in range(2):
        hidden = F.linear(x[i], params[0][i], params[1][i, 0]).relu()
        logits = F.linear(hidden, params[2][i], params[3][i, 0])
        assert losses[i].item() == pytest.approx(F.cross_entropy(logits, y[i]).item(), rel=1e-5)


def plain_run(m, config, seed):
    """One network by `nn.Linear` and `torch.optim.SGD`, from the same random numbers as `run`."""
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(m.n_pool, generator=g)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(32, 64, generator=g) * (2 / 64) ** 0.5)
        model[2].weight.copy_(torch.randn(10, 32, generator=g) * (1 / 32) ** 0.5)
        model[0].bias.zero_()
        model[2].bias.zero_()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config["lr"], momentum=config["momentum"], weight_decay=config["decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, m.n_steps)
    for _ in range(m.n_steps):
        rows = order[torch.randint(m.n_train, (m.batch_size,), generator=g)]
        x = m.x_all[rows] + config["noise"] * torch.randn(m.batch_size, 64, generator=g)
        loss = F.cross_entropy(model(x), m.y_all[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if config["anneal"]:
            schedule.step()
    parts = order[m.n_train : m.n_train + m.n_validation], order[m.n_train + m.n_validation :]
    parts += (torch.arange(m.n_pool, len(m.x_all)),)
    return [(model(m.x_all[rows]).argmax(dim=1) == m.y_all[rows]).double().mean().item() for rows in parts]


@pytest.mark.parametrize("anneal", [0.0, 1.0])
def test_laboratory_matches_torch_optim(experiment_design, anneal):
    m = experiment_design
    config = {"lr": 0.05, "momentum": 0.8, "noise": 0.4, "decay": 0.01, "anneal": anneal}
    validation, others, test = m.run([m.plain, config, config], [4, 5, 4])
    expected = plain_run(m, config, 5)
    assert validation[1] == pytest.approx(expected[0], abs=0.006)
    assert others[1] == pytest.approx(expected[1], abs=0.004)
    assert test[1] == pytest.approx(expected[2], abs=0.004)
    alone = m.run([config], [4])
    assert validation[2] == pytest.approx(alone[0].item(), abs=0.006)


def test_discoveries_among_ideas_without_effect(experiment_design):
    """As often as theory says: 1 - 0.95^10 with plain intervals, at most about 5 % with Bonferroni's."""
    plain, strict = experiment_design.any_found.values()
    assert plain == pytest.approx(1 - 0.95**10, abs=0.12) and strict < 0.1


def test_gain_of_noise_on_other_seeds(experiment_design):
    m = experiment_design
    gains = m.run([m.noisy] * 12, range(7000, 7012))[0] - m.run([m.plain] * 12, range(7000, 7012))[0]
    assert 0 < gains.mean() < 0.04


def test_conclusions(experiment_design):
    m = experiment_design
    assert m.pilot_seeds == list(range(12)) and m.n_seeds == int(np.ceil((2 * m.pilot_spread / 0.005) ** 2))
    assert len(m.plain_scores) == m.n_seeds and not set(m.main_seeds) & set(m.pilot_seeds)
    assert len(m.records) == 20 and m.logged["setup"]["data"] and m.logged["config"] == m.recipe
    assert f"({m.n_seeds})" in m.report and all(name in m.report for name in m.not_shown.split(", "))
    assert set(m.recipe) == set(m.NAMES)


# 7.8 data_parallel


@pytest.mark.parametrize("p", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 5, 21, 64])
def test_ring_gives_everyone_the_sum(data_parallel, p, n):
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=n) for _ in range(p)]
    total = np.sum(vectors, axis=0)
    sent = data_parallel.ring_all_reduce(vectors)
    for vector in vectors:
        np.testing.assert_allclose(vector, total, rtol=1e-10, atol=1e-12)
    assert sent.sum() == 2 * (p - 1) * n  # every number is sent on once a turn, by somebody
    assert sent.max() <= 2 * (p - 1) * -(-n // p)


def test_shares_average_to_the_batch(data_parallel):
    m, rows = data_parallel, torch.arange(40, 52)
    model = m.new_model()
    whole = m.gradient(model, rows)
    loss = F.cross_entropy(model(m.x_train[rows]), m.y_train[rows])
    model.zero_grad()
    loss.backward()
    torch.testing.assert_close(whole, torch.cat([w.grad.flatten() for w in model.parameters()]))
    torch.testing.assert_close(m.averaged_gradient(model, rows.split(4)), whole, rtol=1e-10, atol=1e-12)
    shares = rows.split([1, 4, 7])
    weighted = m.averaged_gradient(model, shares, [1 / 12, 4 / 12, 7 / 12])
    torch.testing.assert_close(weighted, whole, rtol=1e-10, atol=1e-12)
    assert (m.averaged_gradient(model, shares) - whole).norm() > 0.01 * whole.norm()


def test_cost_model_by_hand(data_parallel):
    seconds = data_parallel.step_seconds
    assert seconds(1, 10, 5, flops=100.0, bandwidth=1.0, delay=9.0) == pytest.approx(3)
    expected = 6 * 10 * 5 / (4 * 100) + 2 * 3 * (0.5 + 4 * 10 / (4 * 20))
    assert seconds(4, 10, 5, flops=100.0, bandwidth=20.0, delay=0.5) == pytest.approx(expected)


@pytest.mark.parametrize(
    "vectors", [[np.ones(3), np.ones(4)], [np.ones(3, dtype=int), np.ones(3, dtype=int)]]
)
def test_ring_refuses_what_it_cannot_sum(data_parallel, vectors):
    with pytest.raises(ValueError, match="floating-point vectors of one shape"):
        data_parallel.ring_all_reduce(vectors)


def test_ring_keeps_float32_and_takes_empty_vectors(data_parallel):
    vectors = [np.full(5, k, dtype=np.float32) for k in (1, 2)]
    data_parallel.ring_all_reduce(vectors)
    assert vectors[0].dtype == np.float32 and vectors[0].tolist() == [3.0] * 5
    assert data_parallel.ring_all_reduce([np.empty(0), np.empty(0)]).sum() == 0


def test_alone_takes_the_steps_of_sgd(data_parallel):
    """By hand: v <- 0.9 v + g, w <- w - rate v on the blurred batches, with five steps of warm-up."""
    m, model = data_parallel, data_parallel.new_model()
    task = {**m.task, "n_steps": 5}
    order = torch.randperm(321, generator=torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    w, v = torch.nn.utils.parameters_to_vector(model.parameters()).detach(), 0.0
    for step in range(5):
        rows = order[32 * step : 32 * (step + 1)]
        blur = 0.1 * torch.randn(32, 64, generator=noise, dtype=torch.float64)
        loss = F.cross_entropy(model(m.x_train[rows] + blur), m.y_train[rows])
        v = 0.9 * v + torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        w = w - 0.1 * (step + 1) / 5 * v
        torch.nn.utils.vector_to_parameters(w, model.parameters())
    weights, history = m.train_alone(task)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-10, atol=1e-12)
    expected = F.cross_entropy(model(m.x_validation), m.y_validation).item()
    np.testing.assert_allclose(history, [expected], rtol=1e-10)


@pytest.mark.parametrize(
    "n_gpus, n_processes, wanted", [(0, 1, False), (1, 2, False), (1, 1, True), (2, 2, True)]
)
def test_workers_use_gpus_only_where_each_has_its_own(data_parallel, n_gpus, n_processes, wanted):
    lines = [line.strip() for line in data_parallel.WORKER.splitlines()]
    (line,) = [line for line in lines if line.startswith("cuda = ")]
    gpus = SimpleNamespace(device_count=lambda: n_gpus)
    scope = {"torch": SimpleNamespace(cuda=gpus), "local_world": n_processes}
    exec(line, scope)
    assert scope["cuda"] is wanted


def hosts_of(tmp_path, m, n_hosts, **changes):
    folders = [tmp_path / f"host{host}" for host in range(n_hosts)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        torch.save({**m.task, **changes}, folder / "task.pt")
    return folders


def check_finals(m, folders, start):
    for folder in folders:
        final = torch.load(folder / "final.pt", weights_only=True)
        assert final["start"] == start and m.largest_gap(final["model"], m.alone_weights) < 1e-10
        np.testing.assert_allclose(final["history"], m.alone_history, rtol=1e-10)


@pytest.mark.parametrize("n_processes", [1, 3])
def test_any_number_of_processes_takes_the_same_path(data_parallel, tmp_path, n_processes):
    """With three, no batch divides, and the last one of an epoch leaves two processes without a row."""
    folders = hosts_of(tmp_path, data_parallel, 1)
    data_parallel.run_hosts(data_parallel.WORKER, folders, -1, -1, per_host=n_processes)
    check_finals(data_parallel, folders, start=0)


def test_the_newest_checkpoint_wins(data_parallel, tmp_path):
    """Host 0 has lost its file; rank 0's alone would start again from step 0, without a word."""
    m, folders = data_parallel, hosts_of(tmp_path, data_parallel, 2, n_steps=15)
    m.run_hosts(m.WORKER, folders, -1, -1)
    (folders[0] / "checkpoint.pt").unlink()
    printed = m.run_hosts(m.WORKER, hosts_of(tmp_path, m, 2), 20, 0, max_restarts=1)  # no crash: start > 0
    assert "checkpoints [0, 15]" in "".join(printed) or "checkpoints [15, 0]" in "".join(printed)
    check_finals(m, folders, start=15)


def test_two_hosts_meet_in_a_file_as_on_windows(data_parallel, tmp_path, monkeypatch):
    """And rank 0, the process that speaks for all, is the one that dies."""
    if data_parallel.sys.platform != "win32":
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo0" if data_parallel.sys.platform == "darwin" else "lo")
    windows = SimpleNamespace(platform="win32", executable=data_parallel.sys.executable)
    monkeypatch.setattr(data_parallel, "sys", windows)
    start, commands = data_parallel.subprocess.Popen, []

    def noted(command, **rest):
        commands.append(command)
        return start(command, **rest)

    monkeypatch.setattr(data_parallel.subprocess, "Popen", noted)
    folders = hosts_of(tmp_path, data_parallel, 2)
    data_parallel.run_hosts(data_parallel.WORKER, folders, 12, 0, max_restarts=2)
    assert len(commands) == 2 and all("--rdzv-conf=store_type=file" in command for command in commands)
    check_finals(data_parallel, folders, start=10)


def test_dead_process_ends_the_run_with_a_clear_error(data_parallel, tmp_path):
    folders = hosts_of(tmp_path, data_parallel, 1)
    with pytest.raises(RuntimeError, match=r"ended with codes \[1\](.|\n)*rank 1 dies at step 7"):
        data_parallel.run_hosts(data_parallel.WORKER, folders, 7, 1, per_host=2, timeout=200)
    assert not (folders[0] / "final.pt").exists()
    assert torch.load(folders[0] / "checkpoint.pt", weights_only=True)["step"] == 5


def test_launchers_that_are_late_are_ended(data_parallel, tmp_path):
    folders = hosts_of(tmp_path, data_parallel, 1)
    with pytest.raises(TimeoutError, match="not done after 0.1 seconds"):
        data_parallel.run_hosts("import time; time.sleep(600)", folders, timeout=0.1)


@pytest.mark.parametrize("n_processes", [1, 3])
def test_processes_end_at_the_weights_of_one(data_parallel, tmp_path, n_processes):
    m = data_parallel
    task = {**m.task, "batch_size": 40, "n_epochs": 2}
    torch.save(task, tmp_path / "task.pt")
    printed = m.run_processes(m.TRAIN_SCRIPT, tmp_path, n_processes)
    seen = [int(text.split("has seen")[1].split()[0]) for text in printed]
    assert sum(seen) == 2 * 321 and max(seen) - min(seen) <= 2 * 9
    for rank in range(n_processes):
        weights = torch.load(tmp_path / f"weights_{rank}.pt", weights_only=True)
        assert m.largest_gap(weights, m.train_on_whole_batches(task)) < 1e-10


def test_a_failed_process_is_reported(data_parallel, tmp_path):
    script = "import sys\nprint('here is', sys.argv[2])\nsys.exit(int(sys.argv[2]))"
    with pytest.raises(RuntimeError, match=r"a process has failed(.|\n)*here is 0(.|\n)*here is 1"):
        data_parallel.run_processes(script, tmp_path, 2)


def test_commands_differ_in_the_address_only(data_parallel):
    first, second = (
        data_parallel.torchrun_options("10.0.0.1:29400", 2, 4, f"10.0.0.{host}", host == 1, 2)
        for host in (1, 2)
    )
    assert sum(a != b for a, b in zip(first, second, strict=True)) == 2
    assert {"--nnodes=2", "--nproc-per-node=4", "--max-restarts=2", "--rdzv-conf=is_host=1"} <= set(first)
    assert {"--local-addr=10.0.0.2", "--rdzv-conf=is_host=0"} <= set(second)


# numbers of every kind


X, Y = (np.random.default_rng(0).integers(0, 5, shape).astype(float) for shape in [(7,), (2, 7)])
GRADS = [[3.0, 4], [0.0, 12]]


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("bias_variance", lambda m, y: m.fit(np.linspace(-1, 1, 7), y, 2), [Y]),
        ("bias_variance", lambda m, y: m.ridge(np.linspace(-1, 1, 7), y, 2, 0.1), [Y]),
        ("bias_variance", lambda m, y, t: m.decompose(y, t), [Y, X]),
        ("gradient_health", lambda m, a, b: m.clip_by_value([a, b], 2.5), GRADS),
        ("gradient_health", lambda m, a, b: m.clip_by_norm([a, b], 2.5), GRADS),
        ("experiment_design", lambda m, a, b: m.paired_interval(a, b), Y),
        ("experiment_design", lambda m, a, b: m.unpaired_interval(a, b), Y),
        ("experiment_design", lambda m, a: m.expected_best(a, 3), [X]),
        ("loss_surface_and_sgd", lambda m, p: m.descend(lambda q: 2 * q, p, 0.25, 3), [[1.0, 2, 0]]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory; statistics are computed in float64."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays, float32=stem == "gradient_health")


@pytest.mark.parametrize("rule", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
def test_rules_take_gradients_of_any_numbers(momentum_and_adam, any_numbers, rule):
    def step(g):
        w, state = np.ones_like(g, dtype=np.result_type(g, np.float32)), {}
        for _ in range(3):
            getattr(momentum_and_adam, rule)(w, g, state, 0.1)
        return w

    any_numbers(step, [3.0, 0, 2])


def test_schedules_stay_within_zero_and_the_rate(lr_schedules):
    """At any step of a horizon, warm-up of no steps and horizons of one step included."""
    m = lr_schedules
    for n in (1, 2, 7, 100):
        for step in range(n + 1):
            rates = [m.step_decay(step, 0.1, 3), m.exponential(step, 0.1, 0.9), m.cosine(step, 0.1, n)]
            rates += [m.warm_restarts(step, 0.1, n), m.linear_warmup(step, 0.1, n // 2)]
            rates += [m.one_cycle(step, 0.1, n)] if n >= 2 and step < n else []
            rates += [m.one_cycle(step, 0.1, n, rise=1 / n)] if step < n else []  # the peak at the first step
            rates += [m.linear_warmup(step, 0.1, -1), m.cosine(step, 0.1, 0)]
            assert min(rates) >= 0 and max(rates) <= 0.1 * (1 + 1e-12), (n, step, rates)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
@pytest.mark.parametrize("lr", [0.0, 100.0])
@pytest.mark.parametrize(
    "rule, library",
    [("sgd", "SGD"), ("adagrad", "Adagrad"), ("rmsprop", "RMSprop"), ("adam", "Adam"), ("adamw", "AdamW")],
)
def test_rules_take_rates_and_decays_at_the_edge(momentum_and_adam, rule, library, lr, weight_decay):
    """With a rate of zero nothing moves, decay or not; with a hundred it goes as far as PyTorch's."""
    w, state = np.array([1.0, -2.0, 3.0]), {}
    parameter = torch.tensor(w, requires_grad=True)
    optimizer = getattr(torch.optim, library)([parameter], lr=lr, weight_decay=weight_decay)
    for g in np.random.default_rng(0).normal(size=(5, 3)):
        getattr(momentum_and_adam, rule)(w, g, state, lr, weight_decay=weight_decay)
        parameter.grad = torch.from_numpy(g)
        optimizer.step()
    np.testing.assert_allclose(w, parameter.detach(), rtol=1e-10)
    assert (w.tolist() == [1, -2, 3]) == (lr == 0)


def race_result(m, batch_size, learning_rate, most_steps):
    found = m.race(batch_size, learning_rate, 0, most_steps=most_steps)
    return found["steps"], int(found["curve"][-1, 0]), bool(np.isfinite(found["curve"]).all())


def schedules_train(m, peak, n_steps=2, seeds=(0,), **options):
    """Shape of the losses, and whether the networks are where they began."""
    start, _ = m.new_networks(seeds, (196, 3, 10))
    params, losses = m.train(lambda step: 1.0, [peak], seeds, n_steps, sizes=(196, 3, 10), **options)
    return losses.shape, all(torch.equal(p, q) for p, q in zip(params, start, strict=True))


def loop_train(m, n_rows, n_epochs, learning_rate):
    """Numbers of batch losses and of validation losses, and whether the last of these is the first."""
    loop = m.Loop(
        x=m.x_train[:n_rows], y=m.y_train[:n_rows], make_model=m.plain_model, learning_rate=learning_rate
    )
    _, losses, validation, _ = m.train(loop, n_epochs)
    return len(losses), len(validation), validation[0] == validation[-1]


def clipped(m, **options):
    return [len(part) for part in m.clipped_training(1.0, 0, **options)]


def laboratory(m, **changes):
    return [part.shape for part in m.run([{**m.plain, **changes}], [0])]


THREE = [(1,)] * 3


@pytest.mark.parametrize(
    "stem, call, expected",
    [
        ("loss_surface_and_sgd", lambda m: m.descend(lambda p: p, [1.0], 0.1, 0).tolist(), [[1]]),
        ("loss_surface_and_sgd", lambda m: m.descend(lambda p: p, [1.0], 0.0, 2)[-1].tolist(), [1]),
        ("loss_surface_and_sgd", lambda m: m.descend(lambda p: p, [1.0], 100.0, 1)[-1].tolist(), [-99]),
        ("loss_surface_and_sgd", lambda m: m.count_steps(0), "never arrives with the ratio 0"),
        ("loss_surface_and_sgd", lambda m: m.count_steps(10, 0.0), "and the share 0.0"),
        ("loss_surface_and_sgd", lambda m: race_result(m, 37, 0.0, 2), (np.inf, 2, True)),
        ("loss_surface_and_sgd", lambda m: race_result(m, 5000, 100.0, 2), (np.inf, 2, True)),
        ("loss_surface_and_sgd", lambda m: race_result(m, 4, 0.1, 0), (np.inf, 0, True)),
        ("loss_surface_and_sgd", lambda m: race_result(m, 0, 0.1, 2), "batch_size must be at least 1, got 0"),
        ("momentum_and_adam", lambda m: m.walk(0.1, n_steps=0).shape, (1, 2)),
        ("momentum_and_adam", lambda m: len(np.unique(m.walk(0.0, 0.9), axis=0)), 1),
        ("momentum_and_adam", lambda m: m.count_steps(1, 1.0, 0.0), 1),
        ("momentum_and_adam", lambda m: m.train(m.sgd, {}, [0.1], [0], n_steps=0)[2].shape, (0, 1)),
        ("momentum_and_adam", lambda m: m.train(m.adamw, {}, [100.0], [0], n_steps=1)[2].shape, (1, 1)),
        ("momentum_and_adam", lambda m: np.ptp(m.train(m.adam, {}, [0.0] * 2, [0] * 2, n_steps=3)[0]), 0),
        ("momentum_and_adam", lambda m: m.train(m.sgd, {}, [0.1, 0.2], [0]), "2 learning rates, but 1 seeds"),
        ("lr_schedules", lambda m: m.step_decay(3, 0.1, 0), "every must be at least 1 step, got 0"),
        ("lr_schedules", lambda m: m.warm_restarts(3, 0.1, 0), "the period 0 and the growth 1"),
        ("lr_schedules", lambda m: m.warm_restarts(3, 0.1, 2, 0.5), "the period 2 and the growth 0.5"),
        ("lr_schedules", lambda m: m.one_cycle(0, 0.1, 10, rise=2), "the share 2 goes up"),
        ("lr_schedules", lambda m: m.one_cycle(0, 0.1, 10, rise=0.1), 0.1),
        ("lr_schedules", lambda m: [m.cosine(0, 0.1, 0), m.linear_warmup(5, 0.1, 0)], [0, 0.1]),
        ("lr_schedules", lambda m: schedules_train(m, 0.1, n_steps=0), ((0, 1), True)),
        ("lr_schedules", lambda m: schedules_train(m, 0.0, batch_size=37), ((2, 1), True)),
        ("lr_schedules", lambda m: schedules_train(m, 100.0, batch_size=5000), ((2, 1), False)),
        ("lr_schedules", lambda m: schedules_train(m, 0.1, batch_size=0), "batch_size must be at least 1"),
        ("lr_schedules", lambda m: schedules_train(m, 0.1, seeds=(0, 1)), "1 peaks, but 2 seeds"),
        ("diagnostics", lambda m: loop_train(m, 70, 0, 0.1), (0, 1, True)),
        ("diagnostics", lambda m: loop_train(m, 70, 2, 0.0), (6, 3, True)),
        ("diagnostics", lambda m: loop_train(m, 33, 1, 100.0), (2, 2, False)),
        ("gradient_health", lambda m: m.train(m.new_model(1, torch.nn.Tanh, 1.0), 0.1, 0), []),
        ("gradient_health", lambda m: len(m.train(m.new_model(1, torch.nn.Tanh, 1.0), 100.0, 3)), 3),
        ("gradient_health", lambda m: clipped(m, n_steps=0), [0, 0]),
        ("gradient_health", lambda m: clipped(m, n_steps=6, learning_rate=0.0), [1, 6]),
        ("gradient_health", lambda m: clipped(m, n_steps=6, learning_rate=100.0), [1, 6]),
        ("bias_variance", lambda m: m.train(3, 1, 0, n_steps=0)[1].shape, (0,)),
        ("bias_variance", lambda m: m.train(3, 1200, 0, weight_decay=100.0, n_steps=11)[1].shape, (2, 2)),
        ("bias_variance", lambda m: m.train(3, 1201, 0), "n_rows must be from 1 to 1200, got 1201"),
        ("bias_variance", lambda m: m.train(3, 0, 0), "n_rows must be from 1 to 1200, got 0"),
        ("bias_variance", lambda m: m.decompose(np.ones((1, 3)), np.ones(3)), "two predictions, got 1"),
        ("experiment_design", lambda m: laboratory(m, lr=0.0), THREE),
        ("experiment_design", lambda m: laboratory(m, lr=100.0, decay=0.5), THREE),
        ("experiment_design", lambda m: m.run([m.plain], [0, 1]), "1 configs for 2 seeds"),
        ("experiment_design", lambda m: m.run([], []), "0 configs for 0 seeds"),
        ("experiment_design", lambda m: m.expected_best([1.0, 2.0], 0), "no best of 0 draws from 2 values"),
        ("data_parallel", lambda m: m.loss_after_epochs(5000, 0.0, 0, 0, 1) > 2, True),
        ("data_parallel", lambda m: m.loss_after_epochs(37, 100.0, 3, 0, 1) > 3, True),
        ("data_parallel", lambda m: m.loss_after_epochs(16, 0.1, 0, 0, 0) > 2, True),
        ("data_parallel", lambda m: m.ring_all_reduce([]), "floating-point vectors of one shape"),
        ("data_parallel", lambda m: m.averaged_gradient(m.new_model(), [[0]], [1, 1]), "zip"),
    ],
)
def test_any_settings_work_or_are_named(lesson, any_settings, stem, call, expected):
    """No steps, batches that do not divide or hold everything, rates of 0 and 100."""
    any_settings(lambda: call(lesson(stem)), expected)


@pytest.mark.parametrize("learning_rate, momentum", [(0.0, 0.0), (100.0, 0.0), (0.1, 1.5)])
def test_a_walk_that_never_arrives_says_so(momentum_and_adam, monkeypatch, learning_rate, momentum):
    monkeypatch.setattr(momentum_and_adam, "range", lambda n: range(min(n, 99)), raising=False)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"learning rate {learning_rate}"):
        momentum_and_adam.count_steps(10, learning_rate, momentum)


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


OPTIMIZERS = {  # rule, library class, options, numbers read and written for each parameter
    "SGD": ("sgd", torch.optim.SGD, {}, 3),
    "heavy ball": ("sgd", torch.optim.SGD, {"momentum": 0.9}, 5),
    "Nesterov": ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, 5),
    "AdaGrad": ("adagrad", torch.optim.Adagrad, {}, 5),
    "RMSProp": ("rmsprop", torch.optim.RMSprop, {}, 5),
    "Adam": ("adam", torch.optim.Adam, {}, 7),
    "AdamW": ("adamw", torch.optim.AdamW, {}, 7),
}
STEPS = [
    pytest.param(name, row, marks=pytest.mark.benchmark(group=f"step of {name}, 1e6 parameters, float32"))
    for name in OPTIMIZERS
    for row in (
        "numpy",
        "torch, explicit",
        "torch, library",
        "torch, library, foreach",
        "torch, library, fused",
    )
]


@pytest.mark.parametrize("name, implementation", STEPS)
def test_optimizer_step_speed(momentum_and_adam, timed, device, name, implementation):
    rule, library, options, numbers = OPTIMIZERS[name]
    rule = getattr(momentum_and_adam, rule)
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(np.float32) for shape in ((500, 1000), (1000, 499), (1000,))]
    grads = [rng.normal(size=w.shape).astype(np.float32) for w in starts]
    ours, steps = [w.copy() for w in starts], 3
    reference = momentum_and_adam.Optimizer(rule, [{"params": ours}], lr=1e-3, **options)
    for _ in range(steps):
        reference.step(grads)
    moved = sum(w.size for w in starts) * numbers * 4
    if implementation == "numpy":
        if device.type != "cpu":
            pytest.skip("NumPy runs on the CPU only")
        timed(reference.step, grads, bytes=moved)
        return
    params = [torch.from_numpy(w.copy()).to(device).requires_grad_() for w in starts]
    for w in params:
        w.grad = torch.empty_like(w)
    if implementation == "torch, explicit":
        optimizer = momentum_and_adam.Optimizer(rule, [{"params": params}], lr=1e-3, **options)
        step = torch.no_grad()(lambda: optimizer.step([w.grad for w in params]))
    else:
        kind = {"fused": True} if "fused" in implementation else {"foreach": "foreach" in implementation}
        try:
            step = library(params, lr=1e-3, **options, **kind).step
        except (TypeError, RuntimeError) as error:
            pytest.skip(f"{library.__name__} has no such version here: {error}")
    for _ in range(steps):
        for w, g in zip(params, grads):  # every time: the foreach version of Nesterov changes the gradients
            w.grad.copy_(torch.from_numpy(g))
        step()
    for ours_w, theirs_w in zip(ours, params):
        np.testing.assert_allclose(ours_w, theirs_w.detach().cpu(), rtol=1e-4, atol=1e-6)
    timed(step, bytes=moved)
