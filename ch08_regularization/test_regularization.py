"""Chapter 8: what the lessons computed, and how fast their kernels are."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def dropout(lesson):
    return lesson("dropout")


@pytest.fixture
def weight_decay(lesson):
    return lesson("weight_decay")


@pytest.fixture
def batch_norm(lesson):
    return lesson("batch_norm")


@pytest.fixture
def layer_norm(lesson):
    return lesson("layer_norm")


@pytest.fixture
def early_stopping(lesson):
    return lesson("early_stopping")


@pytest.fixture
def data_augmentation(lesson):
    return lesson("data_augmentation")


# 8.1 dropout


@pytest.mark.parametrize("shape", [(1,), (1, 1), (7, 3), (2, 5, 3)])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_dropout_keeps_or_scales(dropout, shape, p):
    rng = np.random.default_rng(0)
    h = rng.normal(size=shape)
    out, mask = dropout.dropout_forward(h, p, True, rng)
    assert out.shape == mask.shape == shape
    assert set(np.unique(mask)) <= {0.0, 1 / (1 - p)}
    np.testing.assert_array_equal(out, h * mask)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_dropout_is_unbiased_and_drops_its_share(dropout, p):
    n = 200_000
    out, mask = dropout.dropout_forward(np.full(n, 3.0), p, True, np.random.default_rng(1))
    assert abs(np.mean(mask == 0) - p) < 4 * np.sqrt(p * (1 - p) / n)
    assert abs(out.mean() - 3) < 4 * 3 * np.sqrt(p / (1 - p) / n)


def test_dropout_draws_a_coin_for_each_element(dropout):
    _, mask = dropout.dropout_forward(np.ones((400, 300)), 0.5, True, np.random.default_rng(2))
    kept = mask > 0
    assert (
        0.05 < kept.mean(axis=0).std() * np.sqrt(400) < 1
        and 0.05 < kept.mean(axis=1).std() * np.sqrt(300) < 1
    )
    assert abs(np.corrcoef(kept[:, 0], kept[:, 1])[0, 1]) < 0.25


def test_eval_mode_is_the_identity(dropout):
    h = np.random.default_rng(0).normal(size=(3, 5))
    out, mask = dropout.dropout_forward(h, 0.7, False, np.random.default_rng(0))
    assert np.array_equal(out, h) and np.array_equal(mask, np.ones((3, 5)))


@pytest.mark.parametrize("p", [1.0, 1.5, -0.1, float("nan")])
def test_dropout_names_a_bad_probability(dropout, p):
    with pytest.raises(ValueError, match="p has to be in"):
        dropout.dropout_forward(np.ones(3), p, True, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(1, 1), (5, 7)])
def test_dropout_backward_matches_autograd_for_the_same_mask(dropout, shape):
    rng = np.random.default_rng(3)
    h, cotangent = rng.normal(size=(2, *shape))
    _, mask = dropout.dropout_forward(h, 0.4, True, rng)
    x = torch.from_numpy(h).requires_grad_()
    (x * torch.from_numpy(mask) * torch.from_numpy(cotangent)).sum().backward()
    np.testing.assert_allclose(dropout.dropout_backward(cotangent, mask), x.grad, rtol=1e-10, atol=1e-12)


def test_dropout_keeps_the_dtype(dropout):
    for dtype in (np.float32, np.float64):
        for training in (True, False):
            out, mask = dropout.dropout_forward(np.ones(4, dtype), 0.5, training, np.random.default_rng(0))
            assert out.dtype == mask.dtype == dtype


def test_log_softmax_matches_pytorch_on_large_logits(dropout):
    z = np.array([[1e4, -1e4, 0.0], [0.3, -0.2, 1.7]])
    expected = F.log_softmax(torch.from_numpy(z), dim=-1)
    np.testing.assert_allclose(dropout.log_softmax(z), expected, rtol=1e-10, atol=1e-12)


def test_all_masks_are_there_once_and_their_mean_is_eval_mode(dropout):
    assert len(np.unique(dropout.masks, axis=0)) == 1024 and np.allclose(dropout.masks.mean(axis=0), 1)
    with torch.no_grad():
        logits = dropout.small.eval()(torch.from_numpy(dropout.images[1500:])).numpy()
    np.testing.assert_allclose(dropout.one_network, logits, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dropout.members.mean(axis=0), logits, rtol=1e-10, atol=1e-11)
    product = np.exp(dropout.log_probabilities.sum(axis=0) / 1024)
    np.testing.assert_allclose(
        product / product.sum(axis=1, keepdims=True), dropout.eval_probabilities, rtol=1e-9, atol=1e-12
    )


def test_the_arithmetic_mean_is_only_near(dropout):
    assert 0.02 < dropout.gaps["arithmetic mean"] < 1 and dropout.gaps["behind a ReLU"] > 0.1


def test_make_network_drops_behind_both_hidden_layers(dropout):
    model = dropout.make_network(0.3, width=5)
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert model(torch.zeros(2, 28, 28)).shape == (2, 10) and model[1].out_features == 5


def test_evaluate_matches_a_loop(dropout):
    model, (x, y), history = dropout.runs[300, 0.5, 1]
    loss, accuracy = dropout.evaluate(model, x, y)
    logits = [model(image[None])[0].detach() for image in x]
    losses = [F.cross_entropy(row, label).item() for row, label in zip(logits, y)]
    assert loss == pytest.approx(np.mean(losses), rel=1e-4) == history[-1][0]
    assert accuracy == pytest.approx(
        np.mean([int(row.argmax()) == int(label) for row, label in zip(logits, y)])
    )


def test_pairs_share_images_and_weights_and_avoid_the_validation_images(dropout):
    for seed in range(4):
        pair = [dropout.runs[1000, p, seed][1] for p in (0.0, 0.5)]
        assert torch.equal(pair[0][0], pair[1][0]) and torch.equal(pair[0][1], pair[1][1])
    assert not torch.equal(dropout.runs[1000, 0.0, 0][1][1], dropout.runs[1000, 0.0, 1][1][1])
    kept_back = {image.numpy().tobytes() for image in dropout.validation[0]}
    seen = {image.numpy().tobytes() for image in dropout.runs[1000, 0.0, 0][1][0]}
    assert len(seen & kept_back) <= 2  # the collection holds a few doubles


def test_training_with_one_seed_repeats_itself(dropout):
    first, second = (dropout.train(0.5, 3, 50, n_epochs=2, batch_size=20) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters()))
    assert first[2].shape == (1, 2)
    still = dropout.train(0.5, 3, 50, n_epochs=3, batch_size=20, learning_rate=0.0, watch=True)
    assert still[2].shape == (3, 2) and np.ptp(still[2]) < 0.3 and np.ptp(still[2][:, 0]) == 0


def test_dropout_narrows_the_gap_on_every_seed(dropout):
    for n_train in (1000, 300):
        rows = [dropout.table[n_train, p] for p in (0.0, 0.5)]
        before, after = (row["valid"] - row["train"] for row in rows)
        assert np.all(after < 0.9 * before)
        assert rows[1]["valid"].mean() < rows[0]["valid"].mean() - 0.05
    assert dropout.gained[1000] > 0.003 and abs(dropout.gained[300]) < 0.02


def test_forgotten_eval_mode_is_worse_and_changes_its_answers(dropout):
    assert dropout.wrong_mode < dropout.right_mode and dropout.changed > 0.02


def test_monte_carlo_spread_finds_the_hard_images(dropout):
    assert dropout.error_rates[0] < 0.05 and dropout.error_rates[4] > 0.3
    p = dropout.mean_answer.double().numpy()
    expected = -(p * np.log(p, where=p > 1e-12, out=np.zeros_like(p))).sum(axis=1)
    np.testing.assert_allclose(dropout.entropy, expected, atol=1e-5)


# 8.2 weight_decay


@pytest.mark.parametrize("shapes", [[(1,)], [(3, 2), (7,), (1, 5)]])
def test_l2_penalty_and_its_gradient_match_autograd(weight_decay, shapes):
    rng = np.random.default_rng(0)
    weights = [torch.from_numpy(rng.normal(size=shape)).requires_grad_() for shape in shapes]
    penalty = weight_decay.l2_penalty(weights, 0.3)
    assert penalty.item() == pytest.approx(
        0.15 * sum(weight.detach().norm().item() ** 2 for weight in weights)
    )
    for weight, grad in zip(weights, torch.autograd.grad(penalty, weights)):
        np.testing.assert_allclose(grad, 0.3 * weight.detach(), rtol=1e-10, atol=1e-12)


def test_decayed_step_matches_sgd(weight_decay):
    rng = np.random.default_rng(1)
    weight, grads = rng.normal(size=(3, 2)), rng.normal(size=(10, 3, 2))
    theirs = torch.from_numpy(weight.copy()).requires_grad_()
    optimizer = torch.optim.SGD([theirs], lr=0.2, weight_decay=0.7)
    for grad in grads:
        weight = weight_decay.decayed_step(weight, grad, 0.2, 0.7)
        theirs.grad = torch.from_numpy(grad)
        optimizer.step()
    np.testing.assert_allclose(weight, theirs.detach(), rtol=1e-10, atol=1e-12)


def test_penalty_in_the_loss_is_weight_decay_for_sgd(weight_decay):
    for ours, theirs in weight_decay.pairs:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert weight_decay.penalised is not weight_decay.decayed


def test_soft_threshold_matches_softshrink(weight_decay):
    weight = np.array([-3.0, -0.4, -0.1, 0.0, 0.1, 0.4, 2.0])
    expected = F.softshrink(torch.from_numpy(weight), 0.4)
    np.testing.assert_allclose(weight_decay.soft_threshold(weight, 0.4), expected, rtol=1e-10, atol=1e-12)


def random_quadratic(d, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d + 2, d))
    return root.T @ root / d, rng.normal(size=d)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_minimise_l2_has_no_slope_and_shrinks_by_the_formula(weight_decay, d):
    hessian, optimum = random_quadratic(d, d)
    weight = weight_decay.minimise_l2(hessian, optimum, 0.4)
    np.testing.assert_allclose(hessian @ (weight - optimum) + 0.4 * weight, 0, atol=1e-10)
    curvature, direction = np.linalg.eigh(hessian)
    shares = curvature / (curvature + 0.4)
    np.testing.assert_allclose(direction.T @ weight, shares * (direction.T @ optimum), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_minimise_l1_meets_its_conditions(weight_decay, d):
    hessian, optimum = random_quadratic(d, d)
    weight = weight_decay.minimise_l1(hessian, optimum, 0.4, n_steps=20_000)
    slope = hessian @ (weight - optimum)
    active = weight != 0
    np.testing.assert_allclose(slope[active], -0.4 * np.sign(weight[active]), atol=1e-8)
    assert np.all(np.abs(slope[~active]) <= 0.4 + 1e-8)
    beside = weight + 0.01 * np.random.default_rng(0).normal(size=(200, d))
    heights = [
        0.5 * (w - optimum) @ hessian @ (w - optimum) + 0.4 * np.abs(w).sum() for w in [weight, *beside]
    ]
    assert min(heights) == heights[0]


def test_only_l1_sets_weights_to_zero(weight_decay):
    assert weight_decay.zeros["L2"] == 0 and weight_decay.zeros["L1"] > 5


@pytest.mark.parametrize("n, d", [(1, 1), (13, 5)])
def test_ridge_matches_its_trained_twin_and_autograd(weight_decay, n, d):
    rng = np.random.default_rng(n)
    features, targets = rng.normal(size=(n, d)), rng.normal(size=n)
    exact = weight_decay.ridge(features, targets, 0.2)
    weight = torch.from_numpy(exact).requires_grad_()
    residual = torch.from_numpy(features) @ weight - torch.from_numpy(targets)
    (0.5 * (residual**2).mean() + 0.1 * (weight**2).sum()).backward()
    np.testing.assert_allclose(weight.grad, 0, atol=1e-10)
    trained = weight_decay.ridge_by_descent(features, targets, 0.2, n_steps=3000)
    np.testing.assert_allclose(trained, exact, rtol=1e-8, atol=1e-10)


def test_shares_kept_follow_the_curvature(weight_decay):
    assert weight_decay.curvatures.min() > 0
    for strength, shares in weight_decay.kept.items():
        expected = weight_decay.curvatures / (weight_decay.curvatures + strength)
        np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_a_free_bias_takes_the_shift_alone(weight_decay):
    assert weight_decay.moved["bias free"] < 1e-9 and weight_decay.moved["bias decayed"] > 1


def test_decay_groups_leave_vectors_alone(weight_decay):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    decayed, free = weight_decay.decay_groups(model, 0.4)
    assert decayed["weight_decay"] == 0.4 and free["weight_decay"] == 0.0
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3), (3, 2)]
    assert [tuple(p.shape) for p in free["params"]] == [(2,), (2,), (2,), (3,)]


@pytest.mark.parametrize("decoupled, reference", [(False, torch.optim.Adam), (True, torch.optim.AdamW)])
@pytest.mark.parametrize("shape", [(1,), (3, 5)])
def test_adam_matches_pytorch(weight_decay, decoupled, reference, shape):
    rng = np.random.default_rng(2)
    weight, grads = rng.normal(size=shape), rng.normal(size=(20, *shape))
    theirs = torch.from_numpy(weight.copy()).requires_grad_()
    settings = {"betas": (0.8, 0.95), "eps": 1e-3}
    optimizer = reference([theirs], lr=0.05, weight_decay=0.4, **settings)
    adam = weight_decay.Adam(0.05, 0.4, decoupled, **settings)
    for grad in grads:
        weight = adam.step(weight, grad)
        theirs.grad = torch.from_numpy(grad)
        optimizer.step()
    np.testing.assert_allclose(weight, theirs.detach(), rtol=1e-10, atol=1e-12)


def test_adam_with_l2_spares_noisy_weights_and_adamw_does_not(weight_decay):
    quiet, noisy = weight_decay.tracks["L2 in the loss"][-1]
    assert quiet < 0.5 * noisy
    quiet, noisy = weight_decay.tracks["decoupled (AdamW)"][-1]
    assert abs(quiet - noisy) < 0.02


def test_validation_picks_a_strength_in_the_middle(weight_decay):
    assert 1 < weight_decay.chosen < 10
    means = weight_decay.means
    assert means[weight_decay.chosen]["test acc."] > means[0.0]["test acc."] + 0.08
    assert means[10.0]["valid acc."] < means[weight_decay.chosen]["valid acc."]


def test_train_noisy_keeps_its_parts_apart(weight_decay):
    row = weight_decay.train_noisy(0.0, 5, n_train=40, n_steps=300)
    assert row["train loss"] < 0.1 and 0.3 < row["test acc."] < 0.85  # learned by heart, noise included
    assert row["valid loss"] > 1 and row["test loss"] > 1


# 8.3 batch_norm


@pytest.mark.parametrize("n, d", [(2, 1), (7, 3), (1024, 5)])
def test_normalise_and_its_backward_match_pytorch(batch_norm, n, d):
    rng = np.random.default_rng(n)
    x, cotangent = rng.normal(loc=3, scale=2, size=(2, n, d))
    gamma, beta = rng.normal(size=(2, d))
    inputs = [torch.from_numpy(value).requires_grad_() for value in (x, gamma, beta)]
    expected = F.batch_norm(inputs[0], None, None, inputs[1], inputs[2], training=True)
    out, cache = batch_norm.normalise(x, gamma, beta)
    np.testing.assert_allclose(out, expected.detach(), rtol=1e-10, atol=1e-11)
    grads = torch.autograd.grad(expected, inputs, torch.from_numpy(cotangent))
    for ours, theirs in zip(batch_norm.normalise_backward(cotangent, cache), grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", [(2, 1), (7, 5), (1, 3, 2, 1), (3, 5, 4, 7)])
@pytest.mark.parametrize("eps, momentum", [(1e-5, 0.1), (1e-2, 0.4)])
def test_batch_norm_layer_matches_pytorch_over_many_steps(batch_norm, shape, eps, momentum):
    rng = np.random.default_rng(0)
    channels = shape[1]
    ours = batch_norm.BatchNorm(channels, eps=eps, momentum=momentum)
    ours.weight, ours.bias = rng.normal(size=(2, channels))
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    theirs = kind(channels, eps=eps, momentum=momentum, dtype=torch.float64)
    theirs.weight.data, theirs.bias.data = torch.from_numpy(ours.weight), torch.from_numpy(ours.bias)
    for step in range(12):
        ours.training = step < 10
        theirs.train(step < 10)
        x, cotangent = rng.normal(loc=2, scale=3, size=(2, *shape))
        inputs = torch.from_numpy(x).requires_grad_()
        out = theirs(inputs)
        grads = torch.autograd.grad(out, (inputs, theirs.weight, theirs.bias), torch.from_numpy(cotangent))
        np.testing.assert_allclose(ours.forward(x), out.detach(), rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.backward(cotangent), grads[0], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(ours.weight_grad, grads[1], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.bias_grad, grads[2], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.running_mean, theirs.running_mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(ours.running_var, theirs.running_var, rtol=1e-10, atol=1e-12)


def test_batch_norm_starts_and_keeps_its_dtype(batch_norm):
    layer = batch_norm.BatchNorm(3, dtype=np.float32)
    for value, expected in (
        (layer.weight, 1),
        (layer.bias, 0),
        (layer.running_mean, 0),
        (layer.running_var, 1),
    ):
        assert value.dtype == np.float32 and value.tolist() == [expected] * 3
    out = layer.forward(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    assert out.dtype == layer.backward(out).dtype == layer.running_var.dtype == np.float32
    assert (layer.eps, layer.momentum, layer.training) == (1e-5, 0.1, True)


@pytest.mark.parametrize("shape", [(4, 2), (4,), (4, 2, 3), (2, 3, 4)])
def test_batch_norm_names_a_wrong_shape(batch_norm, shape):
    with pytest.raises(ValueError, match="expected 3 channels"):
        batch_norm.BatchNorm(3).forward(np.ones(shape))


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_a_batch_of_one_raises_in_training_and_not_in_eval(batch_norm, shape):
    layer = batch_norm.BatchNorm(3)
    with pytest.raises(ValueError, match="more than one value"):
        layer.forward(np.ones(shape))
    layer.training = False
    np.testing.assert_allclose(layer.forward(np.ones(shape)), 1, rtol=1e-4)


def test_module_matches_nn_batch_norm_in_values_gradients_and_buffers(batch_norm):
    torch.manual_seed(0)
    ours = batch_norm.ModuleBatchNorm(5, eps=1e-3, momentum=0.3).double()
    theirs = nn.BatchNorm1d(5, eps=1e-3, momentum=0.3).double()
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    for step in range(8):
        ours.train(step < 6), theirs.train(step < 6)
        x = (torch.randn(7, 5, dtype=torch.float64) * 3 + 1).requires_grad_()
        cotangent = torch.randn(7, 5, dtype=torch.float64)
        results = []
        for layer in (ours, theirs):
            out = layer(x)
            results.append((out, *torch.autograd.grad(out, (x, layer.weight, layer.bias), cotangent)))
        for mine, other in zip(*results):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-10)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(ours.state_dict()[name], theirs.state_dict()[name])


def test_sigmoid_network_is_the_papers(batch_norm):
    torch.manual_seed(0)
    for norm in (False, True):
        model = batch_norm.sigmoid_network(norm)
        linears = [layer for layer in model if isinstance(layer, nn.Linear)]
        assert [(layer.in_features, layer.out_features) for layer in linears] == [
            (784, 100),
            (100, 100),
            (100, 100),
            (100, 10),
        ]
        weights = torch.cat([layer.weight.flatten() for layer in linears])
        assert weights.std().item() == pytest.approx(0.05, rel=0.05) and abs(weights.mean().item()) < 1e-3
        assert sum(isinstance(layer, nn.BatchNorm1d) for layer in model) == 3 * norm
        assert all(torch.all(layer.bias == 0) for layer in linears)


def test_deep_network_has_its_depth_and_its_norms(batch_norm):
    model = batch_norm.deep_network(norm=True, he=False, depth=4, width=6)
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 4 + ["Linear"]
    torch.manual_seed(0)
    he = batch_norm.deep_network(norm=False, he=True, depth=3, width=400)
    assert he[2].weight.std().item() == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_accuracy_counts_and_leaves_the_model_training(batch_norm):
    model = nn.Sequential(nn.Identity())
    scores = torch.eye(3)[[0, 1, 2, 2]]
    assert batch_norm.accuracy(model, scores, torch.tensor([0, 1, 2, 1])) == 0.75 and model.training


def test_steps_to_stops_at_the_first_check_that_reaches_the_target(batch_norm):
    def run(**settings):
        torch.manual_seed(0)
        model = batch_norm.deep_network(norm=True, he=True, depth=2)
        return batch_norm.steps_to(model, batch_norm.digit_data, **settings)

    assert run(learning_rate=0.1, target=0.0, n_steps=9, every=3) == 3
    assert run(learning_rate=0.0, target=0.5, n_steps=6, every=3) is None
    seen = []
    reached = run(
        learning_rate=0.1, target=0.0, n_steps=9, every=3, watch=lambda model, step: seen.append(step)
    )
    assert reached == 3 and seen == [3, 6, 9]


def test_batch_norm_needs_far_fewer_steps_on_the_papers_network(batch_norm):
    assert batch_norm.steps[False, 0.5] > 3 * batch_norm.steps[True, 0.5]
    assert batch_norm.best[False] > 3 * batch_norm.best[True]
    assert batch_norm.moved[True] < 0.5 * batch_norm.moved[False]


def test_twenty_relu_layers_from_the_default_start_need_batch_norm(batch_norm):
    for rate in (0.01, 0.1, 1.0):
        assert batch_norm.deep[False, rate, False] is None and batch_norm.ends[False, rate, False] < 0.2
    assert batch_norm.deep[False, 0.1, True] < 200
    assert batch_norm.he_best[True] < 0.7 * batch_norm.he_best[False]
    assert batch_norm.slow[True] < batch_norm.slow[False] - 0.02


def test_the_gradient_holds_further_with_batch_norm(batch_norm):
    plain, norm = (np.median(batch_norm.ratios[kind], axis=0) for kind in (False, True))
    assert plain[-1] > 2 and norm.max() < 1.2 and batch_norm.ratios[True].shape == (20, 5)
    np.testing.assert_allclose(batch_norm.loss_along_the_gradient(True, [0.0], n_steps=2, every=1), 1)


@pytest.mark.parametrize("n_in, n_out", [(1, 1), (5, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_folded_layer_matches_linear_and_norm(batch_norm, n_in, n_out, bias):
    torch.manual_seed(0)
    linear, norm = nn.Linear(n_in, n_out, bias=bias).double(), nn.BatchNorm1d(n_out, eps=0.01).double()
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    for _ in range(5):
        norm(linear(torch.randn(9, n_in, dtype=torch.float64)))
    folded, x = batch_norm.fold(linear, norm.eval()), torch.randn(4, n_in, dtype=torch.float64)
    torch.testing.assert_close(folded(x), norm(linear(x)), rtol=1e-10, atol=1e-12)
    assert batch_norm.largest < 1e-10


def test_early_eval_lags_and_small_batches_scatter(batch_norm):
    assert batch_norm.early[2, 2] > batch_norm.early[2, 1] + 0.1
    assert np.all(np.diff(batch_norm.spreads) < 0)


# 8.4 layer_norm


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 4, 11)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_layer_norm_and_its_backward_match_pytorch(layer_norm, shape, eps):
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(loc=2, scale=3, size=(2, *shape))
    weight, bias = rng.normal(size=(2, shape[-1]))
    inputs = [torch.from_numpy(value).requires_grad_() for value in (x, weight, bias)]
    expected = F.layer_norm(inputs[0], shape[-1:], *inputs[1:], eps=eps)
    out, cache = layer_norm.layer_norm(x, weight, bias, eps)
    np.testing.assert_allclose(out, expected.detach(), rtol=1e-10, atol=1e-12)
    grads = torch.autograd.grad(expected, inputs, torch.from_numpy(cotangent))
    for ours, theirs in zip(layer_norm.layer_norm_backward(cotangent, cache), grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape, width", [((4, 3), 1), ((3, 3), 4), ((2, 4, 3), 2)])
def test_layer_norm_names_a_wrong_gain_or_shift(layer_norm, shape, width):
    for gain, shift in ((width, 3), (3, width)):
        with pytest.raises(ValueError, match="gains and shifts"):
            layer_norm.layer_norm(np.ones(shape), np.ones(gain), np.ones(shift))


@pytest.mark.parametrize("axes", [0, -1, (0, 2), (1, 2)])
@pytest.mark.parametrize("centre", [True, False])
def test_standardise_and_its_backward_match_autograd(layer_norm, axes, centre):
    rng = np.random.default_rng(1)
    x, cotangent = rng.normal(loc=1, scale=2, size=(2, 3, 2, 5))
    before = x.copy()
    inputs = torch.from_numpy(x).requires_grad_()
    middle = inputs.mean(dim=axes, keepdim=True) if centre else 0
    square = ((inputs - middle) ** 2).mean(dim=axes, keepdim=True)
    expected = (inputs - middle) / torch.sqrt(square + 0.1)
    (expected_grad,) = torch.autograd.grad(expected, inputs, torch.from_numpy(cotangent))
    out, cache = layer_norm.standardise(x, axes, eps=0.1, centre=centre)
    grad = layer_norm.standardise_backward(cotangent, cache, axes, centre)
    np.testing.assert_allclose(out, expected.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(x, before)


def test_norms_keep_float32(layer_norm):
    x, weight = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    out, cache = layer_norm.layer_norm(x, weight, weight)
    assert {part.dtype for part in (out, *layer_norm.layer_norm_backward(x, cache))} == {x.dtype}


def test_one_function_is_five_norms(layer_norm):
    assert set(layer_norm.differences) == {"batch", "layer", "instance", "group", "RMS"}
    assert max(layer_norm.differences.values()) < 1e-10


@pytest.mark.parametrize("d", [1, 13, 256])
def test_company_changes_batch_norm_and_not_layer_norm(layer_norm, d):
    rng = np.random.default_rng(2)
    room, (weight, bias) = rng.normal(size=(6, d)), rng.normal(size=(2, d))
    alone = layer_norm.layer_norm(room[:1], weight, bias)[0]
    np.testing.assert_array_equal(layer_norm.layer_norm(room, weight, bias)[0][:1], alone)
    assert (
        np.abs(layer_norm.standardise(room, 0)[0][0] - layer_norm.standardise(room[:3], 0)[0][0]).max() > 0.01
    )


def test_clothes_network_puts_a_norm_behind_both_hidden_layers(layer_norm):
    model = layer_norm.clothes_network(nn.LayerNorm, width=5)
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["Flatten", *["Linear", "LayerNorm", "ReLU"] * 2, "Linear"]
    assert [m.out_features for m in model if isinstance(m, nn.Linear)] == [5, 5, 10]


def test_error_rate_counts_whatever_the_batch_size(layer_norm):
    right = layer_norm.test_labels.clone()
    right[:100] = (right[:100] + 1) % 10
    answers = F.one_hot(right, 10).float()
    for size in (1000, 300):
        batches = iter(answers.split(size))
        assert layer_norm.error_rate(lambda x: next(batches), size) == pytest.approx(0.1)  # noqa: B023


def test_training_with_a_batch_too_large_changes_nothing_and_repeats(layer_norm):
    first, second = (layer_norm.trained(nn.LayerNorm, 30, seed=1, n_train=70, n_epochs=2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    still = layer_norm.trained(nn.LayerNorm, 30, seed=1, n_train=20)
    torch.manual_seed(1)
    start = layer_norm.clothes_network(nn.LayerNorm)
    assert all(torch.equal(a, b) for a, b in zip(still.parameters(), start.parameters()))


def test_batch_norm_breaks_at_two_and_layer_norm_does_not(layer_norm):
    at = layer_norm.at
    assert at["batch norm"][2] > at["batch norm"][16] + 0.15 and np.isnan(at["batch norm"][1])
    assert max(layer_norm.errors["layer norm"][:5]) - min(layer_norm.errors["layer norm"][:5]) < 0.05
    assert 0.1 < at["batch norm"][16] < 0.3 and 0.1 < at["layer norm"][2] < 0.3


def test_padded_puts_letters_first_and_zeros_behind(layer_norm):
    vectors, mask = layer_norm.padded(["az", "b"], 3)
    assert mask.tolist() == [[True, True, False], [True, False, False]]
    np.testing.assert_array_equal(vectors[0, :2], layer_norm.letters[[1, 26]])
    np.testing.assert_array_equal(vectors[1, 0], layer_norm.letters[2])
    assert np.all(vectors[~mask] == 0) and np.all(np.any(layer_norm.letters[1:] != 0, axis=1))


def test_padding_leaks_into_batch_norm_only(layer_norm):
    assert max(layer_norm.leaks["layer"]) == 0 and np.all(np.diff(layer_norm.leaks["batch"]) > 0)
    assert layer_norm.leaks["batch"][-1] > 2 * layer_norm.leaks["batch"][0] > 0.2


def test_stack_places_its_norms(layer_norm):
    torch.manual_seed(0)
    h = torch.randn(3, 6)
    for pre in (False, True):
        model = layer_norm.Stack(pre, depth=2, width=6)
        (f, g), (a, b) = model.blocks, model.norms
        first = h + f(a(h)) if pre else a(h + f(h))
        second = first + g(b(first)) if pre else b(first + g(first))
        torch.testing.assert_close(model(h), model.head(F.layer_norm(second, (6,)) if pre else second))
    wide = layer_norm.Stack(True, depth=1, width=200).blocks[0]
    assert wide[0].weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert wide[2].weight.std().item() == pytest.approx(0.0707, rel=0.05)


def test_only_pre_norm_trains_at_the_large_rate(layer_norm):
    post, pre = (layer_norm.stacks[kind, 0.01] for kind in (False, True))
    assert post[1] < 0.3 < 0.75 < pre[1] and np.mean(post[0][-20:]) > 5 * np.mean(pre[0][-20:])
    assert min(layer_norm.stacks[kind, 0.001][1] for kind in (False, True)) > 0.8


# 8.5 early_stopping


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("patience, min_change", [(1, 0.0), (3, 0.2), (10, 0.0)])
def test_stopper_matches_a_plain_search(early_stopping, seed, patience, min_change):
    curve = np.random.default_rng(seed).normal(size=25)
    reference, last_gain, stop = np.inf, 0, None
    for epoch, value in enumerate(curve, 1):
        if value < reference - min_change:
            reference, last_gain = value, epoch
        if epoch - last_gain >= patience:
            stop = epoch
            break
    expected = stop, 1 + int(np.argmin(curve[:stop]))
    assert early_stopping.stop_epoch(curve, patience, min_change) == expected


@pytest.mark.parametrize(
    "curve, patience, min_change, expected",
    [
        ([0.5, 0.5, 0.5], 1, 0.0, (2, 1)),
        ([np.nan, np.nan], 2, 0.0, (2, None)),
        ([np.nan, 0.3, np.inf, 0.2], 2, 0.0, (None, 4)),
        ([0.5, 0.4, 0.3], 1, 0.1 + 1e-9, (2, 2)),
        ([0.3], 1, 0.0, (None, 1)),
        ([], 1, 0.0, (None, None)),
    ],
)
def test_stopper_on_hand_made_curves(early_stopping, curve, patience, min_change, expected):
    assert early_stopping.stop_epoch(curve, patience, min_change) == expected


def test_stopper_counts_what_it_promises(early_stopping):
    stopper = early_stopping.EarlyStopping(3)
    assert [stopper.update(value) for value in (2.0, 3.0, 1.0, 1.0, np.nan, 1.5)] == [False] * 5 + [True]
    assert (stopper.best, stopper.best_epoch, stopper.waited, stopper.epoch) == (1.0, 3, 3, 6)


def test_restored_weights_are_the_best_ones(early_stopping):
    torch.manual_seed(0)
    model, stopper, kept = nn.BatchNorm1d(3), early_stopping.EarlyStopping(2), None
    for value in (0.9, 0.4, 0.6, 0.7):
        model(torch.randn(5, 3))
        nn.init.normal_(model.weight)
        if value == 0.4:
            kept = [tensor.clone() for tensor in model.state_dict().values()]
        stopper.update(value, model)
    assert not torch.equal(model.weight, kept[0])
    stopper.restore(model)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), kept, strict=True))


def test_stopper_names_bad_settings_and_missing_weights(early_stopping):
    for settings in ((0,), (-1,), (2, -0.1), (float("nan"),)):
        with pytest.raises(ValueError, match="patience >= 1"):
            early_stopping.EarlyStopping(*settings)
    stopper = early_stopping.EarlyStopping(1)
    stopper.update(float("nan"), nn.Linear(1, 1))
    with pytest.raises(ValueError, match="no weights were kept"):
        stopper.restore(nn.Linear(1, 1))


def test_stop_on_paper_matches_the_stopper(early_stopping):
    for seed in range(20):
        curve = np.random.default_rng(seed).normal(size=8).tolist()
        for patience in (1, 2, 5):
            paper = early_stopping.stop_on_paper(curve, patience)
            assert paper == early_stopping.stop_epoch(curve, patience)


def test_monitor_prints_in_a_terminal_and_its_log_reads_back(early_stopping, tmp_path, capsys):
    path = tmp_path / "log.csv"
    monitor = early_stopping.TrainingMonitor(path, ("train", "valid"), every=2)
    assert [column.tolist() for column in early_stopping.read_log(path).values()] == [[], [], []]
    values = [(0.1 + 0.2, float("nan")), (1e-300, 2.5), (7.0, float("inf"))]
    for epoch, (train, valid) in enumerate(values, 1):
        monitor.log(epoch, valid=valid, train=train)
        assert len(early_stopping.read_log(path)["epoch"]) == epoch  # at once, not at the end
    assert capsys.readouterr().out == "epoch   2   train 0.0000   valid 2.5000\n"
    log = early_stopping.read_log(path)
    assert list(log) == ["epoch", "train", "valid"] and log["epoch"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(np.column_stack([log["train"], log["valid"]]), values)


def test_monitor_names_missing_columns(early_stopping, tmp_path):
    monitor = early_stopping.TrainingMonitor(tmp_path / "log.csv", ("train", "valid"))
    for values in ({"train": 1.0}, {"train": 1.0, "valid": 2.0, "extra": 3.0}):
        with pytest.raises(ValueError, match="expected values for"):
            monitor.log(1, **values)


def test_monitor_draws_in_place_where_there_is_a_display(early_stopping, tmp_path, monkeypatch, capsys):
    shown = []

    class Handle:
        def update(self, fig):
            shown.append(("update", fig))

    def display(fig, display_id):
        shown.append(("first", fig))
        return Handle()

    monkeypatch.setattr("builtins.display", display, raising=False)
    monitor = early_stopping.TrainingMonitor(tmp_path / "log.csv", ("train", "valid"))
    open_before = plt.get_fignums()
    for epoch in (1, 2, 3):
        monitor.log(epoch, train=1 / epoch, valid=2.0)
    assert [kind for kind, _ in shown] == ["first", "update", "update"] and capsys.readouterr().out == ""
    assert plt.get_fignums() == open_before
    (ax,) = shown[-1][1].axes
    first, second = ax.lines
    np.testing.assert_allclose(first.get_xydata(), [[1, 1], [2, 1 / 2], [3, 1 / 3]])
    assert second.get_ydata().tolist() == [2.0] * 3 and first.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "valid"]


def test_monitor_log_of_the_lesson_holds_both_losses(early_stopping):
    for name, (_, seen, stopper) in early_stopping.runs.items():
        log = early_stopping.logs[name]
        np.testing.assert_allclose(log["valid"], seen["losses"][:, :1000].mean(axis=1), rtol=1e-6)
        assert stopper.best == log["valid"][: seen["stop"]].min() and len(log["epoch"]) == 60
        assert seen["right"].shape == seen["losses"].shape == (60, 3000)


def test_train_watched_repeats_and_replaces_only_its_share(early_stopping, tmp_path, capsys):
    runs = [early_stopping.train_watched(0.3, 2, tmp_path / "log.csv", n_epochs=2) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][0].parameters(), runs[1][0].parameters()))
    clean = early_stopping.train_watched(0.0, 2, tmp_path / "log.csv", n_epochs=2)[1]
    assert runs[0][1]["train"][1] > clean["train"][1] + 0.2 and runs[0][1]["stop"] is None
    capsys.readouterr()
    still = early_stopping.train_watched(0.0, 2, tmp_path / "log.csv", 10, patience=2, learning_rate=0.0)
    assert capsys.readouterr().out.count("epoch") == 1  # a line every ten epochs
    assert still[1]["stop"] == 3 and still[2].best_epoch == 1


def test_loss_rises_where_accuracy_holds(early_stopping):
    for kept, last in (early_stopping.test[name]["loss"] for name in ("clean", "noisy")):
        assert last > kept + 0.05
    clean, noisy = (np.subtract(*early_stopping.test[name]["accuracy"]) for name in ("clean", "noisy"))
    assert abs(clean) < 0.025 and noisy > 0.015
    assert early_stopping.sure["wrong answers"][-1] > 10 * early_stopping.sure["right answers"][-1]


def test_patience_pays_until_it_only_costs(early_stopping):
    replay = early_stopping.replay
    assert replay[1][1] > replay[2][1] > replay[8][1] > early_stopping.lowest
    assert replay[1][0] < replay[4][0] < replay[16][0] <= early_stopping.n_epochs


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_smooth_matches_its_weights(early_stopping, keep):
    curve = np.random.default_rng(0).normal(size=7)
    weights = np.array([[keep ** (t - s) if s <= t else 0.0 for s in range(7)] for t in range(7)])
    expected = weights @ curve / weights.sum(axis=1)
    np.testing.assert_allclose(early_stopping.smooth(curve, keep), expected, rtol=1e-10, atol=1e-12)


def test_choosing_on_a_small_set_flatters(early_stopping):
    chosen, last = early_stopping.optimism.T
    assert np.all(np.diff(chosen) < 0) and chosen[0] > 0.03 and np.all(np.abs(last) < 0.02)


def test_stopping_shrinks_like_weight_decay(early_stopping):
    x = early_stopping.curvatures / early_stopping.strength
    np.testing.assert_allclose(early_stopping.decayed_share, x / (1 + x), rtol=1e-8)
    np.testing.assert_allclose(early_stopping.stopped_share, 1 - np.exp(-x), atol=0.02)
    assert np.abs(early_stopping.gap).max() < 0.21


# 8.6 data_augmentation


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (4, 6, 11)])
def test_shift_flip_and_cut_out_match_torchvision_image_by_image(data_augmentation, shape):
    rng = np.random.default_rng(0)
    n, h, w = shape
    images = rng.random(shape)
    down, right = rng.integers(-h - 1, h + 2, n), rng.integers(-w - 1, w + 2, n)
    which, top, left = rng.random(n) < 0.5, rng.integers(0, h, n), rng.integers(0, w, n)
    size = min(h, w, 3)
    shifted = data_augmentation.shift(images, down, right)
    flipped = data_augmentation.flip(images, which)
    cut = data_augmentation.cut_out(images, top, left, size)
    tv = data_augmentation.tv
    for i, image in enumerate(torch.from_numpy(images)[:, None]):
        moved = tv.crop(tv.pad(image, [w + 1, h + 1]), h + 1 - down[i], w + 1 - right[i], h, w)
        np.testing.assert_array_equal(shifted[i], moved[0])
        np.testing.assert_array_equal(flipped[i], tv.horizontal_flip(image)[0] if which[i] else image[0])
        hole = image.clone()
        hole[0, top[i] : top[i] + size, left[i] : left[i] + size] = 0
        np.testing.assert_array_equal(cut[i], hole[0])


def test_noise_has_its_size_and_keeps_the_dtype(data_augmentation):
    images = np.full((50, 20, 20), 0.5, np.float32)
    noisy = data_augmentation.add_noise(images, 0.3, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert noisy.std() == pytest.approx(0.3, rel=0.03) and abs(noisy.mean() - 0.5) < 4 * 0.3 / np.sqrt(20_000)


def test_mixup_and_smoothing_by_loops(data_augmentation):
    rng = np.random.default_rng(1)
    images, targets = rng.random((5, 3, 2)), data_augmentation.one_hot(np.array([0, 3, 1, 1, 2]), 4)
    mixed, mixed_targets = data_augmentation.mixup(images, targets, 0.3)
    for i in range(5):
        np.testing.assert_allclose(mixed[i], 0.3 * images[i] + 0.7 * images[i - 1], rtol=1e-12)
        np.testing.assert_allclose(mixed_targets[i], 0.3 * targets[i] + 0.7 * targets[i - 1], rtol=1e-6)
    smooth = data_augmentation.smooth_labels(targets, 0.2)
    np.testing.assert_allclose(smooth[0], [0.85, 0.05, 0.05, 0.05], rtol=1e-6)


def test_one_hot_matches_pytorch_and_names_a_bad_label(data_augmentation):
    labels = np.array([2, 0, 1, 2])
    ours = data_augmentation.one_hot(labels, 4)
    assert ours.dtype == np.float32 and np.array_equal(ours, F.one_hot(torch.from_numpy(labels), 4))
    for bad in ([-1, 0], [0, 4]):
        with pytest.raises(ValueError, match="labels go from"):
            data_augmentation.one_hot(np.array(bad), 4)


def test_change_does_what_its_name_says_and_nothing_else(data_augmentation):
    rng = np.random.default_rng(2)
    images = (0.5 + rng.random((40, 28, 28))).astype(np.float32)
    targets = data_augmentation.one_hot(rng.integers(10, size=40), 10)
    changed = {
        kind: data_augmentation.change(images, targets, kind, rng) for kind in data_augmentation.entries
    }
    for kind in ("nothing", "dropout", "weight decay"):
        assert np.array_equal(changed[kind][0], images) and np.array_equal(changed[kind][1], targets)
    for kind in ("shift", "flip", "cut-out", "noise", "mixup"):
        assert not np.array_equal(changed[kind][0], images)
        assert np.array_equal(changed[kind][1], targets) == (kind != "mixup")
    assert np.all(np.sum(changed["cut-out"][0] == 0, axis=(1, 2)) == 36)
    mirrored = np.all(changed["flip"][0] == images[:, :, ::-1], axis=(1, 2))
    assert 8 < mirrored.sum() < 32
    empty = np.sum(changed["shift"][0] == 0, axis=(1, 2))
    assert set(empty) <= {0, 28, 55} and len(set(empty)) == 3
    assert np.array_equal(changed["smoothing"][0], images)
    np.testing.assert_allclose(changed["smoothing"][1].max(axis=1), 0.91, rtol=1e-6)
    assert (changed["noise"][0] - images).std() == pytest.approx(0.2, rel=0.05)


def test_predict_takes_mirrored_views(data_augmentation):
    images = np.zeros((2, 1, 3), np.float32)
    images[0, 0, 0] = images[1, 0, 1] = 1
    model = nn.Flatten()
    assert data_augmentation.predict(model, images).tolist() == [0, 1]
    assert data_augmentation.predict(model, images[:, :, ::-1]).tolist() == [2, 1]


def test_flips_ruin_digits(data_augmentation):
    accuracy = data_augmentation.digit_accuracy
    for seed in range(3):
        assert accuracy[False, seed] > accuracy[True, seed] and accuracy[False, seed] > 0.85
    assert data_augmentation.kept[0] > 0.7 and max(data_augmentation.kept[[3, 7]]) < 0.2


def test_race_repeats_and_obeys_its_settings(data_augmentation):
    first, second = (data_augmentation.race("shift", 5, n_train=60, n_steps=15) for _ in range(2))
    assert first == second
    still = [data_augmentation.race(k, 5, 60, 5, learning_rate=0.0) for k in ("nothing", "flip and mixup")]
    assert still[0] == still[1]
    few, many = (data_augmentation.race("nothing", 5, n_train=n, n_steps=80) for n in (20, 2000))
    assert few < many - 0.05


def test_shifting_is_worth_real_images(data_augmentation):
    means = data_augmentation.means
    assert means["nothing"] + 0.005 < means["shift"] < means["4000 images"]
    assert means["nothing"] < means["2000 images"] < means["4000 images"]
    assert 150 < data_augmentation.worth < 3000 and set(data_augmentation.entries) < set(means)
    assert all(len(row) == 2 for row in data_augmentation.results.values())


# benchmarks


def interleaved_inputs(shape, seed=0):
    """Input and cotangent of `shape`, gain and shift for its channels (axis 1), float32."""
    rng = np.random.default_rng(seed)
    x, cotangent = rng.normal(size=(2, *shape)).astype(np.float32)
    return x, cotangent, *rng.normal(size=(2, shape[1])).astype(np.float32)


def check_norm(results, x, cotangent, gamma, beta, function):
    """Output and gradients against `function` of float64 tensors (input, gain, shift)."""
    tensors = [torch.from_numpy(value).double().requires_grad_() for value in (x, gamma, beta)]
    out = function(*tensors)
    expected = out.detach(), *torch.autograd.grad(out, tensors, torch.from_numpy(cotangent).double())
    for ours, theirs in zip(results, expected, strict=True):
        ours = torch.as_tensor(ours).double().cpu()
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()) + 1e-5)


def torch_norm(x, cotangent, gamma, beta, device, function):
    """A call that runs `function` forward and backward on `device`, and returns output and gradients."""
    tensors = [torch.from_numpy(value).to(device).requires_grad_() for value in (x, gamma, beta)]
    out_grad = torch.from_numpy(cotangent).to(device)

    def both():
        out = function(*tensors)
        return out.detach(), *torch.autograd.grad(out, tensors, out_grad)

    return both


def explicit_batch_norm(x, gamma, beta):
    dims = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    variance, mean = torch.var_mean(x, dim=dims, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + 1e-5) * gamma.view(shape) + beta.view(shape)


def library_batch_norm(x, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True)


def sizes(kernel, *shapes):
    """Parametrize over shapes, one benchmark group each."""
    groups = [
        pytest.mark.benchmark(group=f"{kernel} forward and backward, {shape}, float32") for shape in shapes
    ]
    return pytest.mark.parametrize(
        "shape", [pytest.param(s, marks=g, id=str(s)) for s, g in zip(shapes, groups)]
    )


BATCH_SHAPES = sizes("batch norm", (1024, 256), (32, 64, 28, 28))
# Six passes over memory at least: read x twice and the gradient twice, write the output and the gradient.


@BATCH_SHAPES
@pytest.mark.parametrize("implementation", ["numpy"])
def test_batch_norm_speed_on_the_cpu(batch_norm, timed, shape, implementation):
    x, cotangent, gamma, beta = interleaved_inputs(shape)
    layer = batch_norm.BatchNorm(shape[1], dtype=np.float32)
    layer.weight, layer.bias = gamma, beta

    def both():
        out = layer.forward(x)
        return out, layer.backward(cotangent), layer.weight_grad, layer.bias_grad

    check_norm(timed(both, bytes=6 * 4 * x.size), x, cotangent, gamma, beta, library_batch_norm)


@BATCH_SHAPES
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library", "torch, compiled"])
def test_batch_norm_speed(timed, device, compiled, shape, implementation):
    inputs = interleaved_inputs(shape)
    functions = {"torch, explicit": explicit_batch_norm, "torch, library": library_batch_norm}
    function = functions.get(implementation) or compiled(explicit_batch_norm)
    both = torch_norm(*inputs, device, function)
    check_norm(timed(both, bytes=6 * 4 * inputs[0].size), *inputs, library_batch_norm)


def explicit_layer_norm(x, gamma, beta):
    variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + 1e-5) * gamma + beta


def library_layer_norm(x, gamma, beta):
    return F.layer_norm(x, x.shape[-1:], gamma, beta)


@sizes("layer norm", (2048, 256))
@pytest.mark.parametrize("implementation", ["numpy"])
def test_layer_norm_speed_on_the_cpu(layer_norm, timed, shape, implementation):
    x, cotangent, gamma, beta = interleaved_inputs(shape)

    def both():
        out, cache = layer_norm.layer_norm(x, gamma, beta)
        return out, *layer_norm.layer_norm_backward(cotangent, cache)

    check_norm(timed(both, bytes=6 * 4 * x.size), x, cotangent, gamma, beta, library_layer_norm)


@sizes("layer norm", (2048, 256), (16384, 1024))
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library", "torch, compiled"])
def test_layer_norm_speed(timed, device, compiled, shape, implementation):
    if device.type != "cuda" and shape[0] > 2048:
        pytest.skip("the large size is timed on CUDA only")
    inputs = interleaved_inputs(shape)
    functions = {"torch, explicit": explicit_layer_norm, "torch, library": library_layer_norm}
    function = functions.get(implementation) or compiled(explicit_layer_norm)
    both = torch_norm(*inputs, device, function)
    check_norm(timed(both, bytes=6 * 4 * inputs[0].size), *inputs, library_layer_norm)


@pytest.mark.benchmark(group="dropout forward and backward, (1024, 1024), float32")
@pytest.mark.parametrize("implementation", ["numpy"])
def test_dropout_speed_on_the_cpu(dropout, timed, implementation):
    rng = np.random.default_rng(0)
    h, cotangent = rng.normal(size=(2, 1024, 1024)).astype(np.float32)

    def both():
        out, mask = dropout.dropout_forward(h, 0.5, True, rng)
        return out, dropout.dropout_backward(cotangent, mask)

    out, grad = timed(both, bytes=4 * 4 * h.size)
    np.testing.assert_array_equal(out != 0, grad != 0)
    np.testing.assert_allclose(out[out != 0], 2 * h[out != 0])


@pytest.mark.benchmark(group="dropout forward and backward, (1024, 1024), float32")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library", "torch, compiled"])
def test_dropout_speed(timed, device, compiled, implementation):
    torch.manual_seed(0)
    h = torch.randn(1024, 1024, device=device, requires_grad=True)
    cotangent = torch.randn(1024, 1024, device=device)

    def explicit(h):
        mask = (torch.rand_like(h) >= 0.5) * 2.0
        return h * mask

    def library(h):
        return F.dropout(h, 0.5)

    forward = {"torch, explicit": explicit, "torch, library": library}.get(implementation)
    forward = forward or compiled(explicit)

    def both():
        out = forward(h)
        return out.detach(), torch.autograd.grad(out, h, cotangent)[0]

    out, grad = timed(both, bytes=4 * 4 * h.numel())
    torch.testing.assert_close(out != 0, grad != 0)
    torch.testing.assert_close(out[out != 0], 2 * h.detach()[out != 0])
