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


@pytest.mark.parametrize("g", [1e-12, -1e-8, 0.3, -1e8])
def test_first_step_of_adam_forgets_the_size_of_the_gradient(momentum_and_adam, g):
    w = np.array([2.0])
    momentum_and_adam.adam(w, np.array([g]), {}, lr=0.01)
    np.testing.assert_allclose(w - 2, -0.01 * g / (abs(g) + 1e-8), rtol=1e-6, atol=1e-15)


def test_uncorrected_adam_steps_by_the_ratio_of_biases(momentum_and_adam):
    t = np.arange(1, 3001)
    expected = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
    np.testing.assert_allclose(momentum_and_adam.step_lengths[False], expected, rtol=1e-5)


def test_notes_are_counted(momentum_and_adam):
    assert momentum_and_adam.kept["AdaGrad"] == momentum_and_adam.kept["Nesterov"] == 1
    assert momentum_and_adam.kept["AdamW"] == momentum_and_adam.kept["RMSProp, momentum"] == 2


def test_valley_path_matches_the_closed_form(momentum_and_adam):
    m = momentum_and_adam
    for axes in m.bowls.values():
        path = m.valley_path(m.sgd, {}, axes, 0.01)
        own = path @ axes
        expected = np.array([10.0, 1.0]) * (1 - 0.01 * np.array([1, 50.0])) ** np.arange(61)[:, None]
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(m.valley_loss(path, axes), (expected**2 @ [1, 50]) / 2, rtol=1e-9)


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


def test_adam_helps_on_bad_scales_only(momentum_and_adam):
    low, high = momentum_and_adam.intervals["badly scaled"]
    assert 0.02 < low < high
    low, high = momentum_and_adam.intervals["as they are"]
    assert low < 0.01 and high > -0.01


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
            lambda t: m.warm_restarts(t, lr, 4, growth=2, lowest=0.1),
            lambda o: s.CosineAnnealingWarmRestarts(o, 4, T_mult=2, eta_min=0.1),
        ),
        (lambda t: m.linear_warmup(t, lr, 3, start=0.2), lambda o: s.LinearLR(o, 0.2, total_iters=3)),
        (
            m.in_a_row(up, down, at=3),
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
        expected = m.library_rates(theirs, n_steps, lr=lr)
        np.testing.assert_allclose([ours(t) for t in range(n_steps)], expected, rtol=1e-10, atol=1e-12)


def test_one_cycle_defaults_are_those_of_torch(lr_schedules):
    theirs = lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.7, 50, cycle_momentum=False)
    expected = lr_schedules.library_rates(theirs, 50)
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


@pytest.mark.parametrize(
    "name, library", [("momentum_step", torch.optim.SGD), ("adam_step", torch.optim.Adam)]
)
def test_rules_on_lists_match_torch_optim(lr_schedules, name, library):
    torch.manual_seed(0)
    ours = [torch.randn(3, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    theirs = [w.clone().requires_grad_() for w in ours]
    optimizer = library(theirs, lr=0.1, **({"momentum": 0.9} if name == "momentum_step" else {}))
    state = {}
    for t in range(1, 30):
        grads = [torch.randn_like(w) for w in ours]
        getattr(lr_schedules, name)(ours, grads, state, 0.1, t)
        for w, g in zip(theirs, grads):
            w.grad = g
        optimizer.step()
    for w, v in zip(ours, theirs):
        torch.testing.assert_close(w, v.detach(), rtol=1e-10, atol=1e-12)


def test_stacked_training_matches_one_plain_network(lr_schedules):
    m = lr_schedules
    schedule = lambda step: 1.0 - 0.1 * step
    params, history = m.train(m.momentum_step, schedule, [0.05, 0.02], [3, 4], n_steps=8, batch_size=16)
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


def test_first_steps_of_adam_are_its_wildest(lr_schedules):
    assert lr_schedules.noise[0] > 2 * lr_schedules.noise[-1]
    assert np.all(np.diff(lr_schedules.rate_spread[:20]) < 0)


# 7.4 diagnostics


def test_expected_table_is_the_computed_one(diagnostics):
    assert diagnostics.alarms == diagnostics.expected
    assert diagnostics.alarms["healthy"] == []
    assert all(diagnostics.alarms[name] for name in diagnostics.patients)


def test_cures_restore_every_patient(diagnostics):
    assert set(diagnostics.cured) == set(diagnostics.patients)
    assert 0.88 < min(diagnostics.cured.values()) <= max(diagnostics.cured.values()) <= 1


def test_step_matches_sgd(diagnostics):
    m = diagnostics
    model, theirs = m.new_model(3), m.new_model(3)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=m.healthy.learning_rate)
    for rows in (torch.arange(7), torch.arange(100, 132)):
        loss = F.cross_entropy(theirs(m.x_train[rows]), m.y_train[rows])
        assert m.step(m.healthy, model, rows) == pytest.approx(loss.item(), rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for w, v in zip(model.parameters(), theirs.parameters()):
        torch.testing.assert_close(w, v)


def test_epochs_see_every_row_once(diagnostics):
    batches = diagnostics.shuffled_batches(100, torch.Generator().manual_seed(0))
    assert [len(rows) for rows in batches] == [32, 32, 32, 4]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(100))
    _, losses, validation = diagnostics.train(diagnostics.healthy, n_epochs=2)
    assert len(losses) == 64 and len(validation) == 3


def test_update_ratios_match_their_definition(diagnostics):
    m = diagnostics
    ratios, model = m.update_ratios(m.healthy), m.new_model()
    rows = m.shuffled_batches(1000, torch.Generator().manual_seed(0))[0]
    F.cross_entropy(model(m.x_train[rows]), m.y_train[rows]).backward()
    expected = [
        m.healthy.learning_rate * (w.grad.norm() / w.norm()).item()
        for w in (model[0].weight, model[2].weight)
    ]
    np.testing.assert_allclose(ratios[0], expected, rtol=1e-3)
    assert ratios.shape == (32, 2)


def test_faulty_losses_are_what_they_claim(diagnostics):
    logits, y = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 9, 3, 3, 1])
    losses = diagnostics.losses_on_axis_0(logits, y)
    for i in range(5):
        expected = -logits[i, y[i]] + logits[:, y[i]].logsumexp(dim=0)
        torch.testing.assert_close(losses[i], expected)


@pytest.mark.parametrize(
    "name, loop, ill",
    [
        ("class_mix", {"batches": lambda n, _: torch.arange(n).split(4)}, True),
        ("class_mix", {"batches": lambda n, _: torch.arange(n).split(16)}, False),
        ("first_loss", {"losses": lambda logits, y: 2 * F.cross_entropy(logits, y, reduction="none")}, True),
        *(
            (
                "first_loss",
                {"losses": lambda logits, y, d=d: F.cross_entropy(logits, y, reduction="none") + d},
                ill,
            )
            for d, ill in ((-0.4, True), (-0.25, False), (0.25, False), (0.4, True))
        ),
        ("mixing", {"losses": lambda logits, y: (logits - logits.mean(dim=0)).square().sum(dim=1)}, True),
        ("mixing", {"losses": lambda logits, y: logits.sum(dim=1) + logits[1].sum()}, True),
        ("mixing", {"losses": lambda logits, y: logits.square().sum(dim=1)}, False),
        ("update_ratio", {"learning_rate": 1e-4}, True),
        ("update_ratio", {"learning_rate": 0.2}, True),
        ("update_ratio", {"learning_rate": 0.02}, False),
        ("stale_gradient", {"learning_rate": 0.2}, False),
    ],
)
def test_checks_on_other_loops(diagnostics, name, loop, ill):
    loop = diagnostics.replace(diagnostics.healthy, **loop)
    assert bool(getattr(diagnostics, name)(loop)) == ill


def test_neighbours_forgive_a_tenth_of_wrong_labels(diagnostics):
    m = diagnostics
    y = m.y_train.clone()
    y[:100] = (y[:100] + 1) % 10
    assert not m.neighbours(m.replace(m.healthy, y=y))
    y[:600] = (m.y_train[:600] + torch.arange(600) % 9 + 1) % 10
    assert m.neighbours(m.replace(m.healthy, y=y))


def test_leaks_are_counted(diagnostics):
    x = torch.arange(12.0).reshape(6, 2)
    assert diagnostics.leaked(x[:4], x[3:]) == 1
    assert diagnostics.leaked(x[:4], x[4:]) == 0


# 7.5 gradient_health


def test_gauges_read_gradients_of_every_layer_and_come_off(gradient_health):
    torch.manual_seed(1)
    layers = [torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)]
    model = torch.nn.Sequential(*layers).double()
    gauges, handles = gradient_health.attach_gauges(layers)
    x, cotangent = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 1, dtype=torch.float64)
    (model(x) * cotangent).sum().backward()
    h = layers[0](x)
    a = h.relu()
    out = layers[2](a)
    expected = torch.autograd.grad((out * cotangent).sum(), [h, a, out])
    for gauge, output, grad in zip(gauges, (gauges[0]["output"], a, out), expected, strict=True):
        torch.testing.assert_close(gauge["output"], output)
        torch.testing.assert_close(gauge["gradient"], grad, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        model(x)  # no gradient to wait for
    for handle in handles:
        handle.remove()
    assert not any(layer._forward_hooks for layer in layers)


@pytest.mark.parametrize("limit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shapes", [((1,),), ((3, 2), (7,)), ((2, 3, 5), (1, 1), (4,))])
def test_clipping_matches_torch(gradient_health, limit, shapes):
    rng = np.random.default_rng(0)
    for ours, theirs in (
        (gradient_health.clip_by_norm, torch.nn.utils.clip_grad_norm_),
        (gradient_health.clip_by_value, torch.nn.utils.clip_grad_value_),
    ):
        grads = [3 * rng.normal(size=shape) for shape in shapes]
        params = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes]
        for w, g in zip(params, grads):
            w.grad = torch.from_numpy(g.copy())
        norm, expected = ours(grads, limit), theirs(params, limit)
        if expected is not None:
            assert norm == pytest.approx(expected.item())
        for w, g in zip(params, grads, strict=True):
            np.testing.assert_allclose(g, w.grad, rtol=3e-6)


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


def test_silent_units_are_counted(gradient_health):
    model = gradient_health.new_model(2, torch.nn.ReLU, 2**0.5)
    with torch.no_grad():
        model[0].bias[:16] = -1e4  # a quarter of the first layer, an eighth of all
    share = gradient_health.silent_share(model)
    assert 0.125 <= share < 0.16
    few = gradient_health.accuracy(model)
    assert few == pytest.approx(
        (model(gradient_health.x_all).argmax(1) == gradient_health.y_all).float().mean().item()
    )


def test_training_matches_sgd(gradient_health):
    m, seen = gradient_health, []
    ours, theirs = (m.new_model(2, torch.nn.Tanh, 1.0, seed=4) for _ in range(2))
    losses = m.train(ours, 0.1, 3, seed=5, look=seen.append)
    generator, optimizer = torch.Generator().manual_seed(5), torch.optim.SGD(theirs.parameters(), lr=0.1)
    for loss in losses:
        rows = torch.randint(5000, (64,), generator=generator)
        expected = F.cross_entropy(theirs(m.x_all[rows]), m.y_all[rows])
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    assert seen == [0, 1, 2]


def test_histograms_are_drawn_as_columns(gradient_health):
    histograms, bins = np.array([[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]), np.array([-3.0, -2.0, -1.0, 0.0])
    fig, ax = plt.subplots()
    gradient_health.draw_histograms(ax, histograms, bins, 0.5, 2.5)
    (image,) = ax.images
    assert image.get_array().tolist() == [[0, 3], [1, 4], [2, 5]] and image.origin == "lower"
    assert tuple(image.get_extent()) == (0.5, 2.5, -3.0, 0.0)
    plt.close(fig)


def test_dead_units_rise_with_the_rate_and_stay(gradient_health):
    assert gradient_health.dead[0] == 0 and np.all(np.diff(gradient_health.dead) > 0)
    relu, leaky = (gradient_health.fates[kind, 4.0] for kind in (torch.nn.ReLU, torch.nn.LeakyReLU))
    assert relu[1] > 0.2 and leaky[2] > relu[2] + 0.1


def test_only_the_clipped_walk_arrives(gradient_health):
    assert gradient_health.walks["clipped"][1][-1] < 0.01 < 0.05 < gradient_health.walks["plain"][1][-1]
    steps = np.linalg.norm(np.diff(gradient_health.walks["clipped"][0], axis=0), axis=1)
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
    new, many = rng.uniform(-1, 1, size=5), rng.uniform(-1, 1, size=(3, 5))
    weights = bias_variance.fit(x, y, degree)
    for i in range(3):
        expected = np.polynomial.Polynomial.fit(x, y[i], degree)
        np.testing.assert_allclose(bias_variance.predict(weights, new)[i], expected(new), rtol=1e-9)
        np.testing.assert_allclose(bias_variance.predict(weights, many)[i], expected(many[i]), rtol=1e-9)


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


def test_parts_add_up_to_what_a_stranger_measures(bias_variance):
    for degree, (bias_squared, variance, error) in bias_variance.parts.items():
        total = bias_squared + variance + bias_variance.sigma**2
        assert total == pytest.approx(bias_variance.stranger[degree], abs=8 * error)


def test_advice_cures_its_own_patient_only(bias_variance):
    biased, trembling = bias_variance.biased, bias_variance.trembling
    assert biased[1] > 0.9 * biased[0] and biased[2] > 0.9 * biased[0]
    assert trembling[1] < 0.6 * trembling[0] and trembling[2] < 0.8 * trembling[0]
    line, wiggle = bias_variance.curves[1], bias_variance.curves[11]
    assert line[-1, 1] > 3 and wiggle[-1, 1] < 1.2 and wiggle[0, 1] > 5
    assert abs(line[-1, 0] - line[-1, 1]) < 0.3 < wiggle[1, 1] - wiggle[1, 0]


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
        peak = bias_variance.widths.index(bias_variance.n_rows)
        assert np.argmax(squared) == peak and error_rates[peak] > 2 * error_rates[:peak].min()
        assert error_rates[-1] < error_rates[:peak].min()
    clean, noisy = bias_variance.descents.values()
    assert np.all(noisy[0][3:] > clean[0][3:])
    again = bias_variance.double_descent(0.0, seed=11)
    assert again[0][-1] < 0.08 and 0.3 < again[1][2] < 0.7


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


def test_loss_matches_cross_entropy_with_smoothing(experiment_design):
    torch.manual_seed(0)
    shapes = ((2, 32, 64), (2, 1, 32), (2, 10, 32), (2, 1, 10))
    params = [torch.randn(shape) for shape in shapes]
    x, y = torch.randn(2, 7, 64), torch.randint(10, (2, 7))
    losses = experiment_design.losses_of(params, x, y, torch.tensor([[0.0], [0.2]]))
    for i, smoothing in enumerate((0.0, 0.2)):
        hidden = F.linear(x[i], params[0][i], params[1][i, 0]).relu()
        logits = F.linear(hidden, params[2][i], params[3][i, 0])
        expected = F.cross_entropy(logits, y[i], label_smoothing=smoothing)
        assert losses[i].item() == pytest.approx(expected.item(), rel=1e-5)


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
        loss = F.cross_entropy(model(x), m.y_all[rows], label_smoothing=config["smoothing"])
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
    config = {"lr": 0.05, "momentum": 0.8, "noise": 0.4, "smoothing": 0.1, "decay": 0.01, "anneal": anneal}
    validation, others, test = m.run([m.plain, config, config], [4, 5, 4])
    expected = plain_run(m, config, 5)
    assert validation[1] == pytest.approx(expected[0], abs=0.006)
    assert others[1] == pytest.approx(expected[1], abs=0.004)
    assert test[1] == pytest.approx(expected[2], abs=0.004)
    alone = m.run([config], [4])
    assert validation[2] == pytest.approx(alone[0].item(), abs=0.006)


def test_conclusions(experiment_design):
    m = experiment_design
    assert m.pilot_gains[0] < 0 < m.pilot_gains[1]
    assert m.paired[0] > m.half_width and np.ptp(m.paired) < 0.8 * np.ptp(m.unpaired)
    assert m.luck > 0.005 and m.test_interval[0] > 0
    assert len(m.records) == 20 and m.winner in m.records
    assert f"({m.n_seeds})" in m.report and all(name in m.report for name in m.passengers.split(", "))
    bests = np.array([m.bests[name].mean() for name in ("grid", "random", "random, linear scale")])
    assert np.all(bests[:2] > bests[2])


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
    loss = F.cross_entropy(model(m.x_all[rows]), m.y_all[rows])
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


def test_alone_takes_the_steps_of_sgd(data_parallel):
    """The first steps by hand: v <- 0.9 v + g, w <- w - 0.1 v, on the first batches of the order."""
    m, model = data_parallel, data_parallel.new_model()
    order = torch.randperm(320, generator=torch.Generator().manual_seed(0))
    w, v = torch.nn.utils.parameters_to_vector(model.parameters()).detach(), 0.0
    for step in range(3):
        v = 0.9 * v + m.gradient(model, order[32 * step : 32 * (step + 1)])
        w = w - 0.1 * v
        torch.nn.utils.vector_to_parameters(w, model.parameters())
        torch.testing.assert_close(m.alone[step], w, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "n_gpus, n_processes, wanted", [(0, 1, False), (1, 2, False), (1, 1, True), (2, 2, True)]
)
def test_workers_use_gpus_only_where_each_has_its_own(data_parallel, n_gpus, n_processes, wanted):
    (line,) = [line for line in data_parallel.WORKER.splitlines() if line.startswith("cuda = ")]
    gpus = SimpleNamespace(device_count=lambda: n_gpus)
    scope = {"torch": SimpleNamespace(cuda=gpus), "local_world": n_processes}
    exec(line, scope)
    assert scope["cuda"] is wanted


def traces_of(m, folder, n_processes, crash_at=-1, **options):
    torch.save(m.task, folder / "task.pt")
    m.launch(m.WORKER, folder, n_processes, crash_at, **options)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(n_processes)]


@pytest.mark.parametrize("n_processes", [1, 4])
def test_any_number_of_processes_takes_the_same_path(data_parallel, tmp_path, n_processes):
    traces = traces_of(data_parallel, tmp_path, n_processes)
    for trace in traces:
        assert sorted(trace) == list(range(30))
        for step, w in trace.items():
            torch.testing.assert_close(w, data_parallel.alone[step], rtol=1e-10, atol=1e-10)
            assert torch.equal(w, traces[0][step])


def test_resumed_run_is_the_run_that_never_crashed(data_parallel, tmp_path):
    straight = traces_of(data_parallel, tmp_path, 2)
    resumed = data_parallel.traces
    assert sorted(resumed[0]) == list(range(10, 30))
    for rank in range(2):
        assert all(torch.equal(w, straight[rank][step]) for step, w in resumed[rank].items())


def test_processes_can_meet_in_a_file_as_on_windows(data_parallel, tmp_path, monkeypatch):
    if data_parallel.sys.platform != "win32":
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo0" if data_parallel.sys.platform == "darwin" else "lo")
    windows = SimpleNamespace(platform="win32", executable=data_parallel.sys.executable)
    monkeypatch.setattr(data_parallel, "sys", windows)
    run, commands = data_parallel.subprocess.run, []
    monkeypatch.setattr(
        data_parallel.subprocess,
        "run",
        lambda command, **rest: commands.append(command) or run(command, **rest),
    )
    traces = traces_of(data_parallel, tmp_path, 2, crash_at=12, max_restarts=1)
    assert len(commands) == 1 and "--rdzv-conf=store_type=file" in commands[0]
    for ours, theirs in zip(traces, data_parallel.traces, strict=True):
        assert list(ours) == list(theirs) and all(torch.equal(ours[step], theirs[step]) for step in ours)


def test_dead_process_ends_the_run_with_a_clear_error(data_parallel, tmp_path):
    with pytest.raises(RuntimeError, match="2 processes ended with code 1(.|\n)*rank 1 crashes at step 7"):
        traces_of(data_parallel, tmp_path, 2, crash_at=7, timeout=150)  # or TimeoutExpired
    assert not (tmp_path / "rank0.pt").exists()
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 5


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
