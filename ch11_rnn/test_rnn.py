"""Chapter 11: what the lessons computed, and how fast their kernels are."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def why_recurrence(lesson):
    return lesson("why_recurrence")


@pytest.fixture
def rnn_and_bptt(lesson):
    return lesson("rnn_and_bptt")


@pytest.fixture
def vanishing_gradients(lesson):
    return lesson("vanishing_gradients")


@pytest.fixture
def lstm(lesson):
    return lesson("lstm")


@pytest.fixture
def gru(lesson):
    return lesson("gru")


@pytest.fixture
def text_generation(lesson):
    return lesson("text_generation")


# 11.1 why_recurrence


def sorted_view(string):
    return "".join(sorted(string))


def test_best_accuracy_on_cases_counted_by_hand(why_recurrence):
    best = why_recurrence.best_accuracy
    assert best(["ab", "ba"], [0, 1], sorted_view) == 0.5
    assert best(["ab", "ba"], [0, 1], lambda s: s) == 1.0
    # seen as "a": label 0 at weight 1/2 · 2/3, label 1 at 1/2; seen as "b": label 0 alone at 1/2 · 1/3
    assert best(["ax", "ay", "bz", "az"], [0, 0, 0, 1], lambda s: s[0]) == pytest.approx(1 / 2 + 1 / 6)
    for labels in ([0, 0], [1, 2]):
        with pytest.raises(ValueError, match="labels"):
            best(["a", "b"], labels, lambda s: s)
    with pytest.raises(ValueError, match="shorter"):  # a sequence without a label
        best(["a", "b", "c"], [0, 1], lambda s: s)


def test_balanced_knows_brackets(why_recurrence):
    assert [why_recurrence.balanced(s) for s in ("()", "(()())", "())(", "((", ")(", "")] == [
        1,
        1,
        0,
        0,
        0,
        1,
    ]
    assert sum(map(why_recurrence.balanced, why_recurrence.halves)) == 42  # the fifth Catalan number
    assert len(why_recurrence.halves) == math.comb(10, 5)


def test_windows_fail_where_the_past_is_farther_away(why_recurrence):
    bag, curve = why_recurrence.accuracies["recall"]
    assert curve == [0.5] * 5 + [1.0] * 5 and 0.5 < bag < 0.7
    assert why_recurrence.accuracies["parity"] == (1.0, [0.5] * 9 + [1.0])
    bag, curve = why_recurrence.accuracies["brackets"]
    assert bag == pytest.approx(0.5) and curve == pytest.approx(sorted(curve)) and curve[0] < 0.9


def test_window_error_is_of_held_out_years(why_recurrence):
    years, spots = why_recurrence.years, why_recurrence.spots
    fit = np.polyfit(spots[:-1][years[1:] <= 1900], spots[1:][years[1:] <= 1900], 1)
    late = years[1:] > 1900
    expected = np.sqrt(np.mean((np.polyval(fit, spots[:-1][late]) - spots[1:][late]) ** 2))
    assert why_recurrence.window_error(1) == pytest.approx(expected)
    assert why_recurrence.spot_errors[0] == pytest.approx(expected)


def test_recur_keeps_every_state(why_recurrence):
    assert why_recurrence.recur(lambda state, x: 2 * state + x, 1, [1, 0, 3]) == [3, 6, 15]


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 5, 2, 7), (4, 7, 3, 1)])
def test_masked_cell_matches_pytorch_packed(why_recurrence, sizes):
    n_batch, n_steps, n_in, n_hidden = sizes
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_batch, n_steps, n_in))
    lengths = rng.integers(1, n_steps + 1, size=n_batch)
    lengths[0] = n_steps
    arrays = [rng.normal(size=shape) for shape in ((n_hidden, n_in), (n_hidden, n_hidden), (n_hidden,))]
    model = nn.RNN(n_in, n_hidden, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for ours, theirs in zip(arrays, (model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0)):
            theirs.copy_(torch.from_numpy(ours))
        model.bias_hh_l0.zero_()
        whole, _ = model(torch.from_numpy(x))
        packed = nn.utils.rnn.pack_padded_sequence(
            torch.from_numpy(x), torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        )
        _, last = model(packed)
    np.testing.assert_allclose(why_recurrence.rnn(*arrays, x), whole, rtol=1e-10, atol=1e-12)
    mask = np.arange(n_steps) < lengths[:, None]
    masked = why_recurrence.rnn(*arrays, x, mask)[:, -1]
    np.testing.assert_allclose(masked, last[0], rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="mask"):
        why_recurrence.rnn(*arrays, x, mask[:, :1].repeat(n_steps + 1, axis=1))


@pytest.mark.parametrize("n_clicks", [1, 37, 2000])
def test_two_units_solve_parity_at_any_length(why_recurrence, n_clicks):
    x = np.random.default_rng(n_clicks).integers(2, size=(5, n_clicks, 1))
    w = why_recurrence
    states = w.rnn(w.weight_ih, w.weight_hh, w.bias, x)
    light = (states[:, :, 0] - states[:, :, 1]) / 2
    np.testing.assert_allclose(light, np.cumsum(x[:, :, 0], axis=1) % 2, atol=1e-3)


def test_padding_spoils_and_packing_does_not(why_recurrence):
    assert why_recurrence.spoiled.tolist() == [True, False, True, True]
    np.testing.assert_allclose(why_recurrence.last[0], why_recurrence.alone, rtol=1e-10, atol=1e-12)
    assert len(why_recurrence.packed.data) == sum(map(len, why_recurrence.batch))


# 11.2 rnn_and_bptt

RNN_SIZES = [(1, 1, 1, 1), (3, 5, 2, 7), (1, 7, 11, 3), (5, 1, 3, 4)]  # batch, steps, inputs, hidden units


def rnn_case(rnn_and_bptt, sizes, seed=0):
    """Random parameters, inputs, first state and cotangent, then the same in nn.RNN."""
    n_batch, n_steps, n_in, n_hidden = sizes
    rng = np.random.default_rng(seed)
    p = rnn_and_bptt.initial_parameters(n_in, n_hidden, 3, rng)
    x, state = rng.normal(size=(n_batch, n_steps, n_in)), rng.normal(size=(n_batch, n_hidden))
    cotangent = rng.normal(size=(n_batch, n_steps, n_hidden))
    model = nn.RNN(n_in, n_hidden, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        model.weight_ih_l0.copy_(torch.from_numpy(p["weight_ih"]))
        model.weight_hh_l0.copy_(torch.from_numpy(p["weight_hh"]))
        model.bias_ih_l0.copy_(torch.from_numpy(p["bias"]))
        model.bias_hh_l0.zero_()
    return p, x, state, cotangent, model


@pytest.mark.parametrize("sizes", RNN_SIZES)
@pytest.mark.parametrize("fast", ["", "_fast"])
def test_rnn_matches_pytorch(rnn_and_bptt, sizes, fast):
    p, x, state, cotangent, model = rnn_case(rnn_and_bptt, sizes)
    hidden = getattr(rnn_and_bptt, f"rnn_forward{fast}")(p, x, state)
    tx, ts = torch.from_numpy(x).requires_grad_(), torch.from_numpy(state)[None].requires_grad_()
    expected, _ = model(tx, ts)
    np.testing.assert_allclose(hidden, expected.detach(), rtol=1e-10, atol=1e-12)
    (expected * torch.from_numpy(cotangent)).sum().backward()
    kept = cotangent.copy()
    grads, d_x, d_state = getattr(rnn_and_bptt, f"rnn_backward{fast}")(p, x, state, hidden, cotangent)
    np.testing.assert_array_equal(cotangent, kept)
    pairs = [
        (grads["weight_ih"], model.weight_ih_l0.grad),
        (grads["weight_hh"], model.weight_hh_l0.grad),
        (grads["bias"], model.bias_ih_l0.grad),
        (d_x, tx.grad),
        (d_state, ts.grad[0]),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_rnn_names_the_shapes(rnn_and_bptt):
    p = rnn_and_bptt.initial_parameters(2, 4, 3, np.random.default_rng(0))
    for forward in (rnn_and_bptt.rnn_forward, rnn_and_bptt.rnn_forward_fast):
        for x, state in ((np.ones((3, 5, 2)), np.ones((1, 4))), (np.ones((3, 2)), np.ones((3, 4)))):
            with pytest.raises(ValueError, match=r"\(3, .*4"):
                forward(p, x, state)


def test_rnn_starts_within_the_bound(rnn_and_bptt):
    p = rnn_and_bptt.initial_parameters(50, 100, 20, np.random.default_rng(0))
    for array in p.values():
        assert 0.08 < array.max() <= 0.1 and -0.1 <= array.min() < -0.08
    assert p["weight_ih"].shape == (100, 50) and p["weight_out"].shape == (20, 100)


def test_rnn_loss_and_gradients_match_autograd(rnn_and_bptt):
    p, x, state, _, model = rnn_case(rnn_and_bptt, (4, 6, 2, 5))
    rng = np.random.default_rng(1)
    y, share = rng.integers(3, size=(4, 6)), rng.uniform(size=(4, 6))
    loss, grads, last = rnn_and_bptt.loss_and_gradients(p, x, y, share, state)
    out = [torch.from_numpy(p[name]).clone().requires_grad_() for name in ("weight_out", "bias_out")]
    hidden, final = model(torch.from_numpy(x), torch.from_numpy(state)[None])
    logits = F.linear(hidden, *out)  # (B, T, H) @ (H, V) -> (B, T, V)
    losses = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(y).flatten(), reduction="none")
    expected = (losses * torch.from_numpy(share).flatten()).sum()
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10)
    np.testing.assert_allclose(last, final[0].detach(), rtol=1e-10, atol=1e-12)
    theirs = (model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0, *out)
    for name, parameter in zip(p, theirs, strict=True):
        np.testing.assert_allclose(grads[name], parameter.grad, rtol=1e-10, atol=1e-12)


def test_rnn_loss_survives_huge_scores(rnn_and_bptt):
    p = rnn_and_bptt.initial_parameters(27, 4, 27, np.random.default_rng(0))
    p["bias_out"][:2] = 1e4, -1e4
    loss, grads, _ = rnn_and_bptt.loss_and_gradients(p, *rnn_and_bptt.batch_of(["a"]))
    assert loss == pytest.approx(1e4, rel=1e-3)
    assert np.isfinite(loss) and all(np.isfinite(grad).all() for grad in grads.values())


def test_batch_of_pads_and_shares(rnn_and_bptt):
    x, y, share = rnn_and_bptt.batch_of(["ab", "c"])
    assert x.argmax(axis=2).tolist() == [[0, 1, 2], [0, 3, 0]]
    assert y.tolist() == [[1, 2, 0], [3, 0, 0]]
    np.testing.assert_allclose(share, [[0.2, 0.2, 0.2], [0.2, 0.2, 0]])


@pytest.mark.parametrize("max_norm", [0.1, 100.0])
def test_clip_matches_pytorch(rnn_and_bptt, max_norm):
    rng = np.random.default_rng(0)
    grads = {"a": rng.normal(size=(3, 5)), "b": rng.normal(size=7)}
    parameters = [nn.Parameter(torch.zeros(grad.shape, dtype=torch.float64)) for grad in grads.values()]
    for parameter, grad in zip(parameters, grads.values(), strict=True):
        parameter.grad = torch.from_numpy(grad.copy())
    expected = nn.utils.clip_grad_norm_(parameters, max_norm)
    assert rnn_and_bptt.clip(grads, max_norm) == pytest.approx(expected.item(), rel=1e-12)
    for parameter, grad in zip(parameters, grads.values(), strict=True):
        np.testing.assert_allclose(grad, parameter.grad, rtol=1e-10, atol=1e-12)


def test_adam_step_matches_pytorch(rnn_and_bptt):
    rng = np.random.default_rng(0)
    p, moments = {"a": rng.normal(size=(3, 2))}, {}
    parameter = torch.tensor(p["a"], requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    for step in range(1, 6):
        grad = rng.normal(size=(3, 2))
        parameter.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        rnn_and_bptt.adam_step(p, {"a": grad}, moments, step, 0.1)
    np.testing.assert_allclose(p["a"], parameter.detach(), rtol=1e-10, atol=1e-12)


def test_rnn_names_train_like_pytorch(rnn_and_bptt):
    assert len(rnn_and_bptt.torch_losses) == 200
    np.testing.assert_allclose(rnn_and_bptt.losses[:200], rnn_and_bptt.torch_losses, atol=1e-9)
    assert rnn_and_bptt.test_losses[rnn_and_bptt.n_steps] < 2.2 < 2.35 < rnn_and_bptt.bigram_loss < 2.5
    assert 1 <= rnn_and_bptt.n_clipped < rnn_and_bptt.n_steps // 2


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_first_letters_follow_the_softmax(rnn_and_bptt, temperature):
    p, n = rnn_and_bptt.p, 4000
    drawn = rnn_and_bptt.sample(p, n, temperature, np.random.default_rng(3), longest=1)
    hidden = rnn_and_bptt.rnn_forward(p, np.eye(27)[[[0]]], np.zeros((1, 64)))[0, 0]
    logits = torch.from_numpy(p["weight_out"] @ hidden + p["bias_out"])
    expected = (logits / temperature).softmax(dim=0).numpy()
    counts = np.array([drawn.count(letter.strip(".")) for letter in rnn_and_bptt.letters])
    error = np.sqrt(n * expected * (1 - expected)) + 1
    assert (abs(counts - n * expected) < 4 * error).all()


def test_sampled_names_are_names(rnn_and_bptt):
    drawn = rnn_and_bptt.sample(rnn_and_bptt.p, 200, 1.0, np.random.default_rng(0), longest=20)
    again = rnn_and_bptt.sample(rnn_and_bptt.p, 200, 1.0, np.random.default_rng(0), longest=20)
    assert drawn == again and set("".join(drawn)) <= set(rnn_and_bptt.letters[1:])
    assert 5 < np.mean([len(name) for name in drawn]) < 8
    assert 0.8 < rnn_and_bptt.new_share[1.0] < 0.98
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            rnn_and_bptt.sample(rnn_and_bptt.p, 1, temperature, np.random.default_rng(0))


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_truncated_gradient_matches_detached_chunks(rnn_and_bptt, chunk):
    p, x, _, _, model = rnn_case(rnn_and_bptt, (2, 7, 3, 4))
    rng = np.random.default_rng(1)
    y, share = rng.integers(3, size=(2, 7)), rng.uniform(size=(2, 7))
    out = [torch.from_numpy(p[name]).clone().requires_grad_() for name in ("weight_out", "bias_out")]
    total, state = 0, torch.zeros(1, 2, 4, dtype=torch.float64)
    for start in range(0, 7, chunk):
        piece = np.s_[:, start : start + chunk]
        hidden, state = model(torch.from_numpy(x[piece]), state.detach())
        logits = F.linear(hidden, *out).flatten(0, 1)  # (B, chunk, H) @ (H, V) -> (B * chunk, V)
        losses = F.cross_entropy(logits, torch.from_numpy(y[piece]).flatten(), reduction="none")
        total = total + (losses * torch.from_numpy(share[piece]).flatten()).sum()
    total.backward()
    loss, grads = rnn_and_bptt.truncated(p, x, y, share, chunk)
    np.testing.assert_allclose(loss, total.item(), rtol=1e-10)
    theirs = (model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0, *out)
    for name, parameter in zip(p, theirs, strict=True):
        np.testing.assert_allclose(grads[name], parameter.grad, rtol=1e-10, atol=1e-12)


def test_truncation_bends_the_gradient_and_blinds(rnn_and_bptt):
    bias = rnn_and_bptt.bias
    assert bias == sorted(bias, reverse=True) and bias[0] > 0.4 and bias[2] > 0.2
    assert rnn_and_bptt.recalls[4][1] == 0 < rnn_and_bptt.recalls[9][1]
    assert min(rnn_and_bptt.recalls[4][0][-50:]) > max(rnn_and_bptt.recalls[9][0][-50:])
    for curve, _ in rnn_and_bptt.recalls.values():
        assert curve[0] == pytest.approx(math.log(4), abs=0.3)  # a blind guess


# 11.3 vanishing_gradients


@pytest.mark.parametrize("n_hidden, n_steps", [(1, 1), (3, 7), (5, 4)])
def test_lag_norms_match_autograd(vanishing_gradients, n_hidden, n_steps):
    rng = np.random.default_rng(0)
    weight, inputs = rng.normal(size=(n_hidden, n_hidden)), rng.normal(size=(n_steps, n_hidden))
    w, h, states = (
        torch.from_numpy(weight),
        torch.zeros(n_hidden, dtype=torch.float64, requires_grad=True),
        [],
    )
    first = h
    for z in torch.from_numpy(inputs):
        states.append(h)
        h = torch.tanh(w @ h + z)  # (H, H) @ (H,) -> (H,)
    rows = [torch.autograd.grad(h[i], states, retain_graph=True) for i in range(n_hidden)]
    expected = [torch.stack(row).norm().log().item() for row in zip(*rows, strict=True)][::-1]
    slopes = vanishing_gradients.tanh_slopes(weight, inputs)
    np.testing.assert_allclose(slopes[-1], 1 - h.detach().square(), rtol=1e-10, atol=1e-12)
    ours = vanishing_gradients.lag_norms(weight, slopes)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)
    assert not first.detach().any()


def test_lag_norms_name_the_shapes(vanishing_gradients):
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(4, 3\)"):
        vanishing_gradients.lag_norms(np.ones((2, 2)), np.ones((4, 3)))


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.3])
def test_orthogonal_weights_fade_at_log_radius(vanishing_gradients, radius):
    logs = vanishing_gradients.lag_norms(radius * vanishing_gradients.orthogonal, np.ones((2000, 32)))
    np.testing.assert_allclose(np.diff(logs), math.log(radius), atol=1e-9)
    assert logs[0] == pytest.approx(math.log(radius * math.sqrt(32)))


@pytest.mark.parametrize("seed", range(4))
def test_gaussian_weights_approach_log_radius(vanishing_gradients, seed):
    weight = np.random.default_rng(seed).normal(size=(32, 32)) / math.sqrt(32)
    logs = vanishing_gradients.lag_norms(weight, np.ones((100, 32)))
    expected = math.log(abs(np.linalg.eigvals(weight)).max())
    assert (logs[99] - logs[19]) / 80 == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_tanh_stays_below_the_largest_singular_value(vanishing_gradients, seed):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(7, 7)) / 2
    logs = vanishing_gradients.lag_norms(
        weight, vanishing_gradients.tanh_slopes(weight, rng.normal(size=(50, 7)))
    )
    steps = np.arange(1, 51)
    bound = steps * math.log(np.linalg.norm(weight, 2)) + math.log(7) / 2  # a norm over seven directions
    assert (logs <= bound + 1e-12).all()


def test_radius_is_no_bound_and_saturation_blocks(vanishing_gradients):
    assert vanishing_gradients.radius == pytest.approx(0.5) and max(vanishing_gradients.stretches) > 10
    at_20 = [logs[19] for logs in vanishing_gradients.saturation.values()]
    assert at_20 == sorted(at_20, reverse=True) and at_20[0] - at_20[2] > 5
    assert vanishing_gradients.default_logs[19] < vanishing_gradients.saturation[0.1][19] - 3


@pytest.mark.parametrize("b", [-0.6, -0.5, -0.4, 0.0])
def test_cliff_slope_matches_autograd(vanishing_gradients, b):
    bias = torch.tensor(b, dtype=torch.float64, requires_grad=True)
    h = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(20):
        h = torch.tanh(2 * h + bias)
    loss = (h + 0.5).square()
    loss.backward()
    ours = vanishing_gradients.cliff(np.array([b]))
    np.testing.assert_allclose(np.ravel(ours), [loss.item(), bias.grad.item()], rtol=1e-9)


def test_clipping_cures_only_explosion(vanishing_gradients):
    assert vanishing_gradients.step > 10 and vanishing_gradients.clipped == pytest.approx(0.1)
    before, after = vanishing_gradients.shares
    assert before == pytest.approx(after) and before < 0.01 and vanishing_gradients.factor < 1


def test_latch_trains_like_nn_rnn(vanishing_gradients):
    start, rng = vanishing_gradients.started[0], np.random.default_rng(0)
    ours = vanishing_gradients.latch(start[None], 3, 30, np.random.default_rng(0))[:, 0]
    limit, shapes = 32**-0.5, ((32, 1), (32,), (1, 32), (1,))
    weight_in, *others = (rng.uniform(-limit, limit, size=shape) for shape in shapes)
    model, readout, accuracies = nn.RNN(1, 32), nn.Linear(32, 1), []
    model.bias_hh_l0.requires_grad_(False).zero_()
    parameters = [model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0, *readout.parameters()]
    with torch.no_grad():
        for theirs, array in zip(parameters, (weight_in, start.T, *others), strict=True):
            theirs.copy_(torch.from_numpy(array))
    optimizer = torch.optim.Adam(parameters, lr=0.003)
    for _ in range(30):
        x = torch.from_numpy(rng.normal(scale=0.5, size=(4, 32, 1))).float()  # (T, B, 1)
        x[0] = sign = torch.from_numpy(rng.choice((-1.0, 1.0), size=(32, 1))).float()
        logits = readout(model(x)[0][-1])  # (B, H) @ (H, 1) -> (B, 1)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logits, (sign + 1) / 2).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        accuracies.append((logits * sign > 0).float().mean().item())
    assert abs(ours - accuracies).mean() < 0.005  # one of 32 signs may fall the other way, now and then


def test_latch_networks_do_not_mix(vanishing_gradients):
    weights = np.stack(vanishing_gradients.started[:2])
    alone = vanishing_gradients.latch(weights[:1], 2, 60, np.random.default_rng(0))
    assert alone.shape == (60, 1) and alone[-10:].mean() > 0.9 > alone[0, 0]
    stuck = weights * np.array([1.0, np.nan])[:, None, None]
    both = vanishing_gradients.latch(stuck, 2, 60, np.random.default_rng(0))
    assert both[-10:, 0].mean() > 0.9 and not both[-10:, 1].any()


def test_latch_fails_at_long_lags(vanishing_gradients):
    learned = vanishing_gradients.learned
    assert learned[5][0] == learned[10][0] == 5
    for lag in (40, 100):
        assert learned[lag][0] <= 2 < 4 <= learned[lag][1]
    for lag, accuracy in vanishing_gradients.final.items():
        assert accuracy.shape == (10,) and (accuracy > 0.3).all(), lag


# 11.4 lstm


def copied(layer, n_in, parameters, dtype=torch.float64):
    """`layer`, nn.LSTM or nn.GRU, with our weights; with three of them, the second bias is zero."""
    n_hidden = parameters[1].shape[1]
    model = layer(n_in, n_hidden, dtype=dtype)
    parameters = [*parameters, np.zeros_like(parameters[2])][:4]
    with torch.no_grad():
        for theirs, ours in zip(model.parameters(), parameters, strict=True):
            theirs.copy_(torch.from_numpy(ours))
    return model


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (7, 3, 2, 5), (2, 1, 4, 3), (31, 2, 1, 2)])
def test_lstm_matches_torch(lstm, sizes):
    n_steps, batch_size, n_in, n_hidden = sizes
    rng = np.random.default_rng(sum(sizes))
    x = rng.normal(size=(n_steps, batch_size, n_in))
    h, c, d_h, d_c = rng.normal(size=(4, batch_size, n_hidden))
    d_hiddens = rng.normal(size=(n_steps, batch_size, n_hidden))
    parameters = [
        rng.normal(size=shape) for shape in ((4 * n_hidden, n_in), (4 * n_hidden, n_hidden), (4 * n_hidden,))
    ]
    model = copied(nn.LSTM, n_in, parameters)
    inputs = [torch.tensor(value, requires_grad=True) for value in (x, h, c)]
    theirs, (their_h, their_c) = model(inputs[0], (inputs[1][None], inputs[2][None]))
    hiddens, (last_h, last_c), cache = lstm.lstm_forward(x, h, c, *parameters)
    slow, slow_c = lstm.lstm_loops(x, h, c, *parameters)
    total = (theirs * torch.from_numpy(d_hiddens)).sum()
    total = total + (their_h[0] * torch.from_numpy(d_h)).sum() + (their_c[0] * torch.from_numpy(d_c)).sum()
    expected = torch.autograd.grad(total, [*inputs, *list(model.parameters())[:3]])
    got = [hiddens, slow, last_h, last_c, slow_c, *lstm.lstm_backward(d_hiddens, d_h, d_c, cache)]
    expected = [theirs, theirs, their_h[0], their_c[0], their_c[0], *expected]
    for ours, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, reference.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_lstm_forward_leaves_its_arguments_alone(lstm):
    rng = np.random.default_rng(0)
    arguments = [rng.normal(size=shape) for shape in ((3, 2, 2), (2, 2), (2, 2), (8, 2), (8, 2), (8,))]
    kept = [argument.copy() for argument in arguments]
    hiddens, _, cache = lstm.lstm_forward(*arguments)
    first = lstm.lstm_backward(hiddens, hiddens[0], hiddens[1], cache)
    second = lstm.lstm_backward(hiddens, hiddens[0], hiddens[1], cache)
    for before, after in zip((*kept, *first), (*arguments, *second), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("wrong", range(1, 6))
def test_lstm_forward_names_the_wrong_shape(lstm, wrong):
    shapes = [(3, 2, 4), (2, 5), (2, 5), (20, 4), (20, 5), (20,)]
    shapes[wrong] = (1, *shapes[wrong][1:])
    with pytest.raises(ValueError, match="expected"):
        lstm.lstm_forward(*[np.zeros(shape) for shape in shapes])


def test_sigmoid_is_stable_and_half_a_tanh(lstm):
    z = np.array([-1e4, -3.0, 0.0, 2.0, 1e4])
    np.testing.assert_allclose(lstm.sigmoid(z), torch.sigmoid(torch.from_numpy(z)).numpy(), atol=1e-15)


def test_forget_gates_multiply_the_gradient_of_the_belt(lstm):
    """With no weights at all only the belt connects the cell states: d c_T / d c_0 is sigmoid(b) ** T."""
    bias = np.zeros(4)
    bias[1] = 2.0
    zeros = np.zeros((1, 1))
    _, _, cache = lstm.lstm_forward(
        np.zeros((9, 1, 1)), zeros, zeros, np.zeros((4, 1)), np.zeros((4, 1)), bias
    )
    d_c = lstm.lstm_backward(np.zeros((9, 1, 1)), zeros, np.ones((1, 1)), cache)[2]
    assert d_c.item() == pytest.approx((1 / (1 + math.exp(-2))) ** 9)


def test_pad_obeys_its_doors(lstm):
    assert lstm.pad([2.0, 3.0, 5.0], [1, 0.5, 1], [1, 0.25, 2]) == 2 * (0.5 + 1.5) + 5
    with pytest.raises(ValueError):
        lstm.pad([1.0], [1, 1], [1, 1])


def test_adding_problem_asks_for_the_marked_sum(lstm):
    x, y = lstm.adding_problem(10, 200, torch.Generator().manual_seed(1))
    assert x.shape == (10, 200, 2)
    marks = x[:, :, 1]
    assert (marks[:5].sum(dim=0) == 1).all() and (marks[5:].sum(dim=0) == 1).all()
    assert set(marks.nonzero()[:, 0].tolist()) == set(range(10))  # every step is marked sometimes
    assert 0 <= x[:, :, 0].min() < 0.05 and 0.95 < x[:, :, 0].max() < 1
    torch.testing.assert_close(y, torch.stack([x[marks[:, k] == 1, k, 0].sum() for k in range(200)]))


def test_recall_hides_the_sign_in_the_first_step(lstm):
    x, y = lstm.recall(torch.Generator().manual_seed(1), lag=7, batch_size=300)
    assert x.shape == (8, 300, 1) and 0.4 < y.mean() < 0.6
    torch.testing.assert_close(x[0, :, 0], torch.where(y == 1, 1.0, -1.0))
    assert 0.25 < x[1:].std() < 0.35


def test_only_the_lstm_adds(lstm):
    assert len(lstm.test_errors) == 5
    for name, error in lstm.test_errors.items():
        assert error < 0.02 if name.startswith("LSTM") else 0.15 < error < 0.25
        assert len(lstm.curves[name]) < 1200 or name.startswith("RNN")


def test_a_unit_of_the_trained_lstm_is_the_pad(lstm):
    assert abs(lstm.correlations[lstm.adder]) > 0.9
    assert lstm.on_mark > 5 * lstm.elsewhere


def test_only_an_open_forget_gate_recalls(lstm):
    for (forget_bias, _), steps in lstm.recall_steps.items():
        assert steps < 150 if forget_bias == 5 else steps == 300


def test_training_stops_when_good_enough_or_out_of_steps(lstm):
    torch.manual_seed(0)
    model = lstm.Reader(nn.RNN, 2, 3)
    for good_enough, wanted in ((1e9, 50), (0.0, 60)):
        generator = torch.Generator().manual_seed(0)
        task = lambda g: lstm.adding_problem(4, 5, g)
        assert len(lstm.train(model, task, F.mse_loss, 60, 0.01, good_enough, generator)) == wanted


# 11.5 gru

GRU_SIZES = [(1, 1, 1, 1), (7, 3, 2, 5), (2, 1, 4, 3), (31, 2, 1, 2)]


def gru_arguments(sizes):
    """x, h and four random parameters of a GRU, sizes: T, B, D, H."""
    n_steps, batch_size, n_in, n_hidden = sizes
    rng = np.random.default_rng(sum(sizes))
    shapes = [(n_steps, batch_size, n_in), (batch_size, n_hidden), (3 * n_hidden, n_in)]
    shapes += [(3 * n_hidden, n_hidden), (3 * n_hidden,), (3 * n_hidden,)]
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("sizes", GRU_SIZES)
def test_gru_matches_torch(gru, sizes):
    x, h, *parameters = gru_arguments(sizes)
    rng = np.random.default_rng(1)
    model = copied(nn.GRU, x.shape[2], parameters)
    inputs = [torch.tensor(value, requires_grad=True) for value in (x, h)]
    theirs, their_h = model(inputs[0], inputs[1][None])
    d_hiddens, d_h = rng.normal(size=theirs.shape), rng.normal(size=h.shape)
    total = (theirs * torch.from_numpy(d_hiddens)).sum() + (their_h[0] * torch.from_numpy(d_h)).sum()
    expected = torch.autograd.grad(total, [*inputs, *model.parameters()])
    hiddens, last_h, cache = gru.gru_forward(x, h, *parameters)
    slow = gru.gru_loops(x, h, *parameters)
    got = [hiddens, slow, last_h, *gru.gru_backward(d_hiddens, d_h, cache)]
    for ours, reference in zip(got, [theirs, theirs, their_h[0], *expected], strict=True):
        np.testing.assert_allclose(ours, reference.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sizes", GRU_SIZES)
def test_reset_before_the_product_is_the_formula_of_the_paper(gru, sizes):
    x, h, *parameters = (torch.from_numpy(value) for value in gru_arguments(sizes))
    weight_ih, weight_hh, bias_ih, bias_hh = (parameter.chunk(3) for parameter in parameters)
    r, z = (
        torch.sigmoid(F.linear(x[0], weight_ih[k], bias_ih[k]) + F.linear(h, weight_hh[k], bias_hh[k]))
        for k in (0, 1)
    )
    n = torch.tanh(F.linear(x[0], weight_ih[2], bias_ih[2]) + F.linear(r * h, weight_hh[2], bias_hh[2]))
    numbers = [value.numpy() for value in (x[0], h, *parameters)]
    np.testing.assert_allclose(gru.gru_step(*numbers, reset_after=False), z * h + (1 - z) * n, rtol=1e-10)


def test_gru_leaves_its_arguments_alone(gru):
    arguments = gru_arguments((3, 2, 2, 4))
    kept = [argument.copy() for argument in arguments]
    hiddens, _, cache = gru.gru_forward(*arguments)
    first = gru.gru_backward(hiddens, hiddens[0], cache)
    second = gru.gru_backward(hiddens, hiddens[0], cache)
    for before, after in zip((*kept, *first), (*arguments, *second), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("wrong", range(1, 6))
def test_gru_forward_names_the_wrong_shape(gru, wrong):
    shapes = [(3, 2, 4), (2, 5), (15, 4), (15, 5), (15,), (15,)]
    shapes[wrong] = (1, *shapes[wrong][1:])
    with pytest.raises(ValueError, match="expected"):
        gru.gru_forward(*[np.zeros(shape) for shape in shapes])


def test_a_gru_layer_has_three_quarters_of_an_lstm_layers_parameters(gru):
    for n_in, n_hidden in ((1, 1), (7, 5), (64, 128)):
        assert 4 * gru.count(nn.GRU(n_in, n_hidden)) == 3 * gru.count(nn.LSTM(n_in, n_hidden))
    assert gru.count(nn.Linear(3, 2)) == 8


def test_the_gru_race_has_equal_budgets_and_a_clear_end(gru):
    assert max(gru.parameter_counts) < 1.02 * min(gru.parameter_counts)
    assert (gru.results["RNN"][:, 0] == 300).all() and (gru.results["RNN"][:, 2] > 0.1).all()
    assert gru.results["GRU"][:, 0].max() < gru.results["LSTM"][:, 0].min()
    steps, seconds, error = gru.race(nn.GRU, 2, 3, seed=0)
    assert steps == 3 and seconds > 0 and 0 < error < 2
    assert gru.race(nn.GRU, 2, 60, seed=0, good_enough=1e9)[0] == 50


def test_adding_problem_of_the_gru_asks_for_the_marked_sum(gru):
    x, y = gru.adding_problem(10, 200, torch.Generator().manual_seed(1))
    marks = x[:, :, 1]
    assert (marks[:5].sum(dim=0) == 1).all() and (marks[5:].sum(dim=0) == 1).all()
    assert set(marks.nonzero()[:, 0].tolist()) == set(range(10))
    torch.testing.assert_close(y, torch.stack([x[marks[:, k] == 1, k, 0].sum() for k in range(200)]))


def test_gru_sees_the_twenty_years_before_and_no_more(gru):
    for i in (0, 100, len(gru.targets) - 1):
        np.testing.assert_array_equal(gru.windows[i], gru.spots[i : i + 20])
        assert gru.targets[i] == gru.spots[i + 20] and gru.target_years[i] == gru.years[i + 20]
    assert gru.target_years[gru.training].max() == 1920


def test_ar2_and_gru_beat_persistence_on_sunspots(gru):
    assert len(gru.test_errors) == 5
    rivals = {name: error for name, error in gru.test_errors.items() if name != "persistence"}
    assert all(5 < error < 0.9 * gru.test_errors["persistence"] for error in rivals.values())


# 11.6 text_generation


def counted(train, context, character, vocabulary):
    """Interpolated Witten-Bell probability, straight from its formula, with slices and loops."""
    order, n = len(context) + 1, len(train)
    lower = counted(train, context[1:], character, vocabulary) if context else 1 / vocabulary
    starts = range(n - order + 1)
    followers = [train[i + order - 1] for i in starts if train[i : i + order - 1] == context]
    k = max(len(set(followers)), 1)
    return (followers.count(character) + k * lower) / (len(followers) + k)


@pytest.mark.parametrize("seed", range(3))
def test_ngram_probabilities_match_the_formula_counted_by_hand(text_generation, seed):
    rng = np.random.default_rng(seed)
    train, test = rng.integers(4, size=60), rng.integers(5, size=12)  # 4 was never seen
    orders = text_generation.ngram_probabilities(train, test, 3, 5)
    assert len(orders) == 3
    for order, probabilities in enumerate(orders, start=1):
        assert probabilities.shape == (10,)
        for i, probability in enumerate(probabilities):
            end = i + 2
            context = test[end - order + 1 : end].tolist()
            assert probability == pytest.approx(counted(train.tolist(), context, test[end], 5), rel=1e-12)


def test_ngram_probabilities_add_up_to_one(text_generation):
    train = np.random.default_rng(0).integers(6, size=100)
    ends = [np.array([3, 1, c]) for c in range(6)]
    totals = sum(np.array(text_generation.ngram_probabilities(train, end, 3, 6))[:, 0] for end in ends)
    np.testing.assert_allclose(totals, 1, rtol=1e-12)


def test_ngram_probabilities_name_the_fault(text_generation):
    good = np.array([0, 1, 2])
    for bad in (np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(ValueError, match="codes"):
            text_generation.ngram_probabilities(good, bad, 1, 3)
        with pytest.raises(ValueError, match="codes"):
            text_generation.ngram_probabilities(bad, good, 1, 3)
    with pytest.raises(ValueError, match="64 bits"):
        text_generation.ngram_probabilities(good, good, 11, 83)


def test_tracks_read_on_from_row_to_row(text_generation):
    columns = text_generation.tracks(np.arange(11), 3)
    assert columns.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_carried_state_reads_pieces_as_one_text(text_generation):
    model = copy.deepcopy(text_generation.model).cpu().double()
    x = torch.from_numpy(text_generation.test_codes[:60].reshape(30, 2))
    with torch.no_grad():
        whole, _ = model(x)
        first, state = model(x[:13])
        second, _ = model(x[13:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-10, atol=1e-12)


def test_the_accelerators_model_has_layers_and_dropout_between_them(text_generation):
    torch.manual_seed(0)
    model = text_generation.CharacterModel(7, 5, n_layers=2, dropout=0.5, n_embedding=3)
    x = torch.arange(6).view(3, 2)  # (T, B)
    with torch.no_grad():
        noisy, (h, c) = model(x)
        model.eval()
        (quiet, _), (again, _) = model(x), model(x)
    assert quiet.shape == (3, 2, 7) and h.shape == c.shape == (2, 2, 5)  # (layers, B, H)
    assert torch.equal(quiet, again) and not torch.allclose(noisy, quiet)
    assert not text_generation.model.training


def test_bits_per_character_scores_every_warm_character_once(text_generation):
    """Against one pass over each track, for a text longer than the pieces in which it is read."""
    codes, model = text_generation.test_codes[:1500], text_generation.model
    columns = text_generation.tracks(codes, 4).to(text_generation.device)
    for n_warm in (0, 64):
        with torch.no_grad():
            logits, _ = model(columns[:-1])
        costs = F.cross_entropy(logits[n_warm:].flatten(0, 1), columns[1 + n_warm :].flatten())
        ours = text_generation.bits_per_character(model, codes, 4, n_warm)
        assert ours == pytest.approx(costs.item() / math.log(2), rel=1e-4)


def test_the_rate_warms_up_and_falls_along_a_cosine(text_generation):
    n_warm_up, n_steps = text_generation.n_warm_up, text_generation.n_steps
    assert text_generation.rate(0) == pytest.approx(1 / n_warm_up)
    assert text_generation.rate(n_warm_up - 1) == 1 == text_generation.rate(n_warm_up)
    assert text_generation.rate((n_warm_up + n_steps) / 2) == pytest.approx(0.5)
    assert 0 < text_generation.rate(n_steps - 1) < 1e-4


def test_the_lstm_is_far_below_the_trigram(text_generation):
    np.testing.assert_allclose(text_generation.ngram_bits[2], 2.90, atol=0.01)
    np.testing.assert_allclose(text_generation.ngram_bits[3:], [2.42, 2.23], atol=0.01)
    assert text_generation.test_bits < text_generation.ngram_bits[2] - 0.3


def test_writing_obeys_its_seed_and_its_knobs(text_generation):
    model, prompt = text_generation.model, "Call me "

    def text(seed, temperature, top_k, n=40):
        generator = torch.Generator().manual_seed(seed)
        return text_generation.write(model, prompt, n, temperature, top_k, generator)

    assert text(1, 0.8, 83) == text(1, 0.8, 83) != text(2, 0.8, 83)
    assert text(1, 0.8, 1) == text(2, 2.0, 1) == text(3, 1e-4, 83)  # the likeliest, always
    assert text(1, 0.8, 200).startswith(prompt) and len(text(1, 0.8, 5)) == len(prompt) + 40


def test_writing_feeds_back_what_it_wrote(text_generation):
    """The likeliest text, against reading everything again for every character."""
    model, written = text_generation.model, "The whale "
    ours = text_generation.write(model, written, 12, 1.0, 1, torch.Generator().manual_seed(0))
    for _ in range(12):
        x = torch.tensor([[text_generation.number[c]] for c in written], device=text_generation.device)
        with torch.no_grad():
            written += text_generation.characters[model(x)[0][-1, 0].argmax()]
    assert ours == written


@pytest.mark.parametrize("fault", [{"temperature": 0}, {"top_k": 0}, {"prompt": ""}])
def test_write_names_the_fault(text_generation, fault):
    arguments = {"prompt": "a", "n_characters": 1, "temperature": 1.0, "top_k": 1} | fault
    with pytest.raises(ValueError, match="prompt"):
        text_generation.write(text_generation.model, **arguments, generator=torch.Generator())


def test_correlations_match_numpy(text_generation):
    rng = np.random.default_rng(0)
    hiddens, feature = rng.normal(size=(50, 3)), rng.normal(size=50)
    expected = [np.corrcoef(unit, feature)[0, 1] for unit in hiddens.T]
    np.testing.assert_allclose(text_generation.correlations(hiddens, feature), expected, rtol=1e-10)


def test_features_describe_the_text(text_generation):
    features, text = text_generation.features, text_generation.sample_text
    assert sum(features["space"]) == text.count(" ")
    assert 0.02 < np.mean(features["inside quotes"]) < 0.6
    start = 0
    for line in text.split("\n")[:-1]:  # a line's characters, then its end
        positions = features["line position"][start : start + len(line) + 1]
        assert positions == [*range(1, len(line) + 1), 0]
        start += len(line) + 1
    assert abs(text_generation.tracked["space"][1]) > 0.5


# benchmarks


def agree(result, expected):
    """Equal in float32, arrays or tensors, whatever the device."""
    for ours, theirs in zip(result, expected, strict=True):
        ours = torch.as_tensor(np.array(ours) if isinstance(ours, np.ndarray) else ours).detach().cpu()
        torch.testing.assert_close(ours, theirs.detach().cpu(), rtol=2e-3, atol=2e-3)


def rnn_speed(rnn_and_bptt, timed, device, implementation, both):
    """RNN rows at batch 32, 64 steps, 64 inputs, 128 hidden units, float32."""
    if implementation.startswith(("loops", "numpy")) and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    n_batch, n_steps, n_in, n_hidden = 32, 64, 64, 128
    rng = np.random.default_rng(0)
    p = rnn_and_bptt.initial_parameters(n_in, n_hidden, 1, rng)
    p = {name: array.astype(np.float32) for name, array in p.items()}
    x = rng.normal(size=(n_batch, n_steps, n_in)).astype(np.float32)
    state = np.zeros((n_batch, n_hidden), dtype=np.float32)
    c = rng.normal(size=(n_batch, n_steps, n_hidden)).astype(np.float32)
    model = nn.RNN(n_in, n_hidden, batch_first=True, device=device)
    with torch.no_grad():
        model.weight_ih_l0.copy_(torch.from_numpy(p["weight_ih"]))
        model.weight_hh_l0.copy_(torch.from_numpy(p["weight_hh"]))
        model.bias_ih_l0.copy_(torch.from_numpy(p["bias"]))
        model.bias_hh_l0.zero_()
    tx, tc, ts = (torch.from_numpy(array).to(device) for array in (x, c, state))
    weights = model.weight_ih_l0, model.weight_hh_l0, model.bias_ih_l0

    def by_numpy(fast):
        hidden = getattr(rnn_and_bptt, f"rnn_forward{fast}")(p, x, state)
        if not both:
            return (hidden,)
        grads, _, _ = getattr(rnn_and_bptt, f"rnn_backward{fast}")(p, x, state, hidden, c)
        return hidden, *grads.values()

    def explicit():
        with torch.set_grad_enabled(both):
            projected = F.linear(tx, weights[0], weights[2]).unbind(1)  # (B, T, D) -> T of (B, H)
            h, states = ts, []
            for z in projected:
                h = torch.tanh(z + h @ weights[1].T)  # (B, H) @ (H, H) -> (B, H)
                states.append(h)
            hidden = torch.stack(states, dim=1)  # (B, T, H)
        return (hidden, *torch.autograd.grad(hidden, weights, tc)) if both else (hidden,)

    def library():
        with torch.set_grad_enabled(both):
            hidden, _ = model(tx)
        return (hidden, *torch.autograd.grad(hidden, weights, tc)) if both else (hidden,)

    rows = {
        "loops": lambda: by_numpy(""),
        "numpy, fast": lambda: by_numpy("_fast"),
        "torch, explicit": explicit,
        "torch, library": library,
    }
    flops = 2 * n_batch * n_steps * n_hidden * (n_in + n_hidden) * (3 if both else 1)
    agree(timed(rows[implementation], flops=flops), library())


@pytest.mark.benchmark(group="RNN forward, batch 32, 64 steps, 64 -> 128, float32")
@pytest.mark.parametrize("implementation", ["loops", "numpy, fast", "torch, explicit", "torch, library"])
def test_rnn_forward_speed(rnn_and_bptt, timed, device, implementation):
    rnn_speed(rnn_and_bptt, timed, device, implementation, both=False)


@pytest.mark.benchmark(group="RNN forward and backward, batch 32, 64 steps, 64 -> 128, float32")
@pytest.mark.parametrize("implementation", ["loops", "numpy, fast", "torch, explicit", "torch, library"])
def test_rnn_forward_and_backward_speed(rnn_and_bptt, timed, device, implementation):
    rnn_speed(rnn_and_bptt, timed, device, implementation, both=True)


GATED_SIZES = "batch 32, 64 steps, 64 -> 128, float32"
GATED_ROWS = ["loops", "numpy, fast", "torch, explicit", "torch, library"]


def gated_speed(lesson_module, layer, timed, device, implementation, both):
    """LSTM and GRU rows at batch 32, 64 steps, 64 inputs, 128 hidden units, float32; x is time first."""
    if implementation.startswith(("loops", "numpy")) and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    n_steps, n_batch, n_in, n_hidden = 64, 32, 64, 128
    rng = np.random.default_rng(0)
    is_lstm, kind = layer is nn.LSTM, "lstm" if layer is nn.LSTM else "gru"
    parameters = [p.astype(np.float32) for p in lesson_module.initial_parameters(n_in, n_hidden, rng)]
    x = rng.normal(size=(n_steps, n_batch, n_in)).astype(np.float32)
    cotangent = rng.normal(size=(n_steps, n_batch, n_hidden)).astype(np.float32)
    zeros = np.zeros((n_batch, n_hidden), np.float32)
    state = [zeros] * (2 if is_lstm else 1)
    model = copied(layer, n_in, parameters, torch.float32).to(device)
    weights = list(model.parameters())
    tx, tc, start = (torch.from_numpy(array).to(device) for array in (x, cotangent, zeros))

    def loops():
        out = getattr(lesson_module, f"{kind}_loops")(x, *state, *parameters)
        return (out[0] if is_lstm else out,)

    def fast():
        hiddens, _, cache = getattr(lesson_module, f"{kind}_forward")(x, *state, *parameters)
        if not both:
            return (hiddens,)
        gradients = getattr(lesson_module, f"{kind}_backward")(cotangent, *state, cache)[len(state) + 1 :]
        return hiddens, *gradients, *([gradients[-1]] if is_lstm else [])  # nn.LSTM has its bias twice

    def explicit():
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        with torch.set_grad_enabled(both):
            h, c, hiddens = start, start, []
            for z in F.linear(tx, weight_ih, bias_ih):  # (T, B, D) -> T of (B, gates * H)
                past = F.linear(h, weight_hh, bias_hh)
                if is_lstm:
                    i, f, g, o = (z + past).chunk(4, dim=1)
                    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * c.tanh()
                else:
                    (z_r, z_z, z_n), (p_r, p_z, p_n) = z.chunk(3, dim=1), past.chunk(3, dim=1)
                    n = torch.tanh(z_n + (z_r + p_r).sigmoid() * p_n)
                    h = n + (z_z + p_z).sigmoid() * (h - n)
                hiddens.append(h)
            hiddens = torch.stack(hiddens)  # T of (B, H) -> (T, B, H)
        return (hiddens, *torch.autograd.grad(hiddens, weights, tc)) if both else (hiddens,)

    def library():
        with torch.set_grad_enabled(both):
            hiddens, _ = model(tx)
        return (hiddens, *torch.autograd.grad(hiddens, weights, tc)) if both else (hiddens,)

    rows = {"loops": loops, "numpy, fast": fast, "torch, explicit": explicit, "torch, library": library}
    gates = 4 if is_lstm else 3
    flops = 2 * n_batch * n_steps * gates * n_hidden * (n_in + n_hidden) * (3 if both else 1)
    agree(timed(rows[implementation], flops=flops), library())


@pytest.mark.benchmark(group=f"LSTM forward, {GATED_SIZES}")
@pytest.mark.parametrize("implementation", GATED_ROWS)
def test_lstm_forward_speed(lstm, timed, device, implementation):
    gated_speed(lstm, nn.LSTM, timed, device, implementation, both=False)


@pytest.mark.benchmark(group=f"LSTM forward and backward, {GATED_SIZES}")
@pytest.mark.parametrize("implementation", GATED_ROWS[1:])
def test_lstm_both_ways_speed(lstm, timed, device, implementation):
    gated_speed(lstm, nn.LSTM, timed, device, implementation, both=True)


@pytest.mark.benchmark(group=f"GRU forward, {GATED_SIZES}")
@pytest.mark.parametrize("implementation", GATED_ROWS)
def test_gru_forward_speed(gru, timed, device, implementation):
    gated_speed(gru, nn.GRU, timed, device, implementation, both=False)


@pytest.mark.benchmark(group=f"GRU forward and backward, {GATED_SIZES}")
@pytest.mark.parametrize("implementation", GATED_ROWS[1:])
def test_gru_both_ways_speed(gru, timed, device, implementation):
    gated_speed(gru, nn.GRU, timed, device, implementation, both=True)
