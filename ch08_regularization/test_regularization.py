"""Chapter 8: what the lessons computed, and how fast their kernels are."""

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


def compiled(function, device):
    """`function` through torch.compile, on CUDA only: elsewhere it needs a compiler and half a minute."""
    if device.type != "cuda":
        pytest.skip("torch.compile is timed on CUDA only")
    return torch.compile(function)


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


# benchmarks


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
def test_dropout_speed(timed, device, implementation):
    torch.manual_seed(0)
    h = torch.randn(1024, 1024, device=device, requires_grad=True)
    cotangent = torch.randn(1024, 1024, device=device)

    def explicit(h):
        mask = (torch.rand_like(h) >= 0.5) * 2.0
        return h * mask

    def library(h):
        return F.dropout(h, 0.5)

    forward = {"torch, explicit": explicit, "torch, library": library}.get(implementation)
    forward = forward or compiled(explicit, device)

    def both():
        out = forward(h)
        return out.detach(), torch.autograd.grad(out, h, cotangent)[0]

    out, grad = timed(both, bytes=4 * 4 * h.numel())
    torch.testing.assert_close(out != 0, grad != 0)
    torch.testing.assert_close(out[out != 0], 2 * h.detach()[out != 0])
