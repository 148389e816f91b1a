"""Chapter 8: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "batch_norm": [
        {
            "change": {"0.65 * torch.randn(len(self.shift))": "3.0 * torch.randn(len(self.shift))"},
            "prints": "wandering",
            "figure": 2,
        },
        {"change": {"part in x.split(10)]": "part in x.split(2)]"}, "prints": "10 examples"},
        {
            "after": "def difference_from_torch",
            "add": "layer = BatchNorm(1)\n"
            "for _ in range(100):\n"
            "    layer.forward(np.array([[1.0], [5.0]]))\n"
            "layer.training = False\n"
            "print('alone, the 1 becomes', layer.forward(np.array([[1.0]])).round(3))",
            "prints": "alone, the 1 becomes [[-0.707]]",
        },
    ],
    "dropout": [
        {"change": {"DROP_P = 0.5": "DROP_P = 0.9"}, "prints": "validation accuracy", "figure": 1},
        {
            "change": {
                "rng.random(h.shape) >= p if training else np.ones(h.shape, dtype=bool)": "rng.random("
                "h.shape[-1]) >= p if training else np.ones(h.shape[-1], dtype=bool)"
            },
            "prints": "0.8 ",
        },
        {
            "after": "intervals = {}",
            "add": "model = models['with dropout'][0].eval()\n"
            "for name, batch in (('as they are', valid_images), ('upside down', valid_images.flip(1))):\n"
            "    with torch.no_grad():\n"
            "        p = model(batch).softmax(dim=1)\n"
            "    print(f'{name:12s} entropy {-(p * p.log()).sum(dim=1).mean():.2f}')",
            "prints": "upside down  entropy",
        },
    ],
    "weight_decay": [
        {"change": {"SHARE_WRONG = 0.2": "SHARE_WRONG = 0.0"}, "prints": "gain over no decay", "figure": 2},
        {
            "change": {"n_train=400, n_steps=250": "n_train=400, n_steps=1000"},
            "prints": "chosen by validation accuracy",
        },
        {
            "after": "def decayed_step",
            "add": "weight = 1.0\n"
            "for _ in range(250):\n"
            "    weight = decayed_step(weight, 0.0, learning_rate=0.01, strength=3)\n"
            "print(f'left {weight:.2e}, exp {np.exp(-0.01 * 3 * 250):.2e}')",
            "prints": "left 4.93e-04, exp 5.53e-04",
        },
    ],
    "layer_norm": [
        {
            "change": {"BATCH_SIZES = (2, 4, 16)": "BATCH_SIZES = (3, 4, 16)"},
            "prints": "batch norm             3",
            "figure": 1,
        },
        {"change": {"rng.normal(loc=1, size=(27, 8))": "rng.normal(loc=0, size=(27, 8))"}, "figure": 2},
        {
            "add": "real = vectors[mask]\n"
            "masked = (vectors - real.mean(axis=0)) / np.sqrt(real.var(axis=0) + 1e-5)\n"
            "largest = np.abs(masked[mask] - without_padding['batch norm']).max()\n"
            "print(f'with a mask: largest difference {largest:.1e}')\n"
            "assert largest < 1e-10",
            "prints": "with a mask: largest difference",
        },
    ],
    "early_stopping": [
        {"change": {"N_DRAWN = 100\nepochs": "N_DRAWN = 1000\nepochs"}, "prints": "no stopping"},
        {"change": {'("careless", 0.2))': '("careless", 0.5))'}, "prints": "careless       3"},
        {
            "add": "correct = runs['clean', 0][1]['correct'][:, :N_VALID].mean(axis=1)\n"
            "by_accuracy = 1 + int(correct.argmax())\n"
            "print(f\"by accuracy {by_accuracy}, by loss {runs['clean', 0][2].best_epoch}\")",
            "prints": "by accuracy",
        },
    ],
    "data_augmentation": [
        {
            "change": {
                '"shift": {"changes": {"max_shift": 1}},': '"shift": {"changes": {"max_shift": 4}},',
            },
            "prints": "flip                ",
        },
        {
            "change": {"FLIP_SHARES = (0.0, 0.5)": "FLIP_SHARES = (0.0, 1.0)"},
            "prints": "flipped with probability 1.0",
            "figure": 2,
        },
        {
            "after": "def augment(images, rng",
            "add": "def add_noise(images, deviation, rng):\n"
            "    return (images + deviation * rng.standard_normal(images.shape)).astype(images.dtype)\n\n\n"
            "noisy = add_noise(pictures[:100], 0.3, np.random.default_rng(0))\n"
            "print(f'spread of the noise {(noisy - pictures[:100]).std():.3f}, {noisy.dtype}')\n"
            "fig, axs = plt.subplots(1, 8, figsize=(10, 1.6), layout='constrained')\n"
            "for ax, image in zip(axs, noisy):\n"
            "    ax.imshow(image, cmap='gray_r')\n"
            "plt.show()",
            "prints": "spread of the noise 0.300, float32",
            "figure": 1,
        },
    ],
    "recipe": [
        {"change": {"SMALLEST_GAIN = 0.005": "SMALLEST_GAIN = -1.0"}, "prints": "the recipe ends with"},
        {
            "change": {'"augmentation": {"max_shift": 1, "flip": True},': '"augmentation": {"flip": True},'},
            "prints": "augmentation",
        },
        {
            "add": "def mean_weights(name):\n"
            "    states = [torch.load(checkpoint_path(name, s), weights_only=True)['model'] for s in SEEDS]\n"
            "    return {key: sum(state[key] for state in states) / len(states) for key in states[0]}\n\n\n"
            "soup = make_network(kept['norm'], kept['dropout']).to(device)\n"
            "soup.load_state_dict(mean_weights(kept_name))\n"
            "print(f'mean of three networks: validation accuracy {evaluate(soup, valid_set)[1]:.3f}')",
            "prints": "mean of three networks: validation accuracy",
        },
    ],
}


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


@pytest.fixture
def recipe(lesson):
    return lesson("recipe")


# 8.1 dropout


@pytest.mark.parametrize("shape", [(1,), (1, 1), (7, 3), (2, 5, 3), (0, 3)])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_dropout_keeps_or_scales(dropout, shape, p):
    h = np.random.default_rng(0).normal(size=shape)
    before = h.copy()
    out, mask = dropout.dropout_forward(h, p, True, np.random.default_rng(1))
    assert out.shape == mask.shape == shape and np.array_equal(h, before)
    assert set(np.unique(mask)) <= {0.0, 1 / (1 - p)}
    np.testing.assert_array_equal(out, h * mask)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_dropout_is_unbiased_and_drops_its_share(dropout, p):
    n = 200_000
    out, mask = dropout.dropout_forward(np.full(n, 3.0), p, True, np.random.default_rng(1))
    assert abs(np.mean(mask == 0) - p) < 4 * np.sqrt(p * (1 - p) / n)
    assert abs(out.mean() - 3) < 4 * 3 * np.sqrt(p / (1 - p) / n)


def test_dropout_draws_anew_for_each_unit_and_example(dropout):
    _, mask = dropout.dropout_forward(np.ones((400, 300)), 0.5, True, np.random.default_rng(2))
    kept = mask > 0
    assert 0.5 < kept.mean(axis=0).std() * 2 * np.sqrt(400) < 1.5
    assert 0.5 < kept.mean(axis=1).std() * 2 * np.sqrt(300) < 1.5
    assert abs(np.corrcoef(kept[:, 0], kept[:, 1])[0, 1]) < 0.25
    assert abs(np.corrcoef(kept[0], kept[1])[0, 1]) < 0.25


def test_eval_mode_copies_its_input(dropout):
    h = np.random.default_rng(0).normal(size=(3, 5))
    out, mask = dropout.dropout_forward(h, 0.7, False, np.random.default_rng(0))
    assert np.array_equal(out, h) and out is not h and np.array_equal(mask, np.ones((3, 5)))


@pytest.mark.parametrize("p", [1.0, 1.5, -0.1, float("nan")])
@pytest.mark.parametrize("training", [True, False])
def test_dropout_names_a_bad_probability(dropout, p, training):
    with pytest.raises(ValueError, match="p has to be in"):
        dropout.dropout_forward(np.ones(3), p, training, np.random.default_rng(0))


@pytest.mark.parametrize("p", [1.0, 1.5, -0.1, float("nan")])
def test_the_module_names_a_bad_probability(dropout, p):
    with pytest.raises(ValueError, match="p has to be in"):
        dropout.Dropout(p)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7)])
def test_dropout_backward_matches_autograd_for_the_same_mask(dropout, shape):
    rng = np.random.default_rng(3)
    h, grad_out = rng.normal(size=(2, *shape))
    _, mask = dropout.dropout_forward(h, 0.4, True, rng)
    x = torch.from_numpy(h).requires_grad_()
    (x * torch.from_numpy(mask) * torch.from_numpy(grad_out)).sum().backward()
    np.testing.assert_allclose(dropout.dropout_backward(grad_out, mask), x.grad, rtol=1e-10, atol=1e-12)


def test_dropout_keeps_float_dtypes_and_takes_whole_numbers(dropout):
    kinds = [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int64, np.float64),
        (np.uint8, np.float64),
    ]
    for dtype, expected in kinds:
        for training in (True, False):
            h = np.full(20, 3, dtype)
            out, mask = dropout.dropout_forward(h, 0.2, training, np.random.default_rng(0))
            assert out.dtype == mask.dtype == expected
            assert set(np.unique(out.round(4))) <= ({0.0, 3.75} if training else {3.0})


@pytest.mark.parametrize("p", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("shape", [(1,), (7, 11), (0, 3)])
def test_dropout_module_matches_nn_dropout_from_the_same_seed(dropout, p, shape):
    h = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    grad_out = torch.randn(shape, dtype=torch.float64)
    results = []
    for layer in (dropout.Dropout(p), nn.Dropout(p)):
        torch.manual_seed(4)
        out = layer(h)
        results.append((out, torch.autograd.grad(out, h, grad_out)[0], layer.eval()(h)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_log_softmax_matches_pytorch_on_large_logits(dropout):
    z = np.array([[1e4, -1e4, 0.0], [0.3, -0.2, 1.7]])
    expected = F.log_softmax(torch.from_numpy(z), dim=-1)
    np.testing.assert_allclose(dropout.log_softmax(z), expected, rtol=1e-10, atol=1e-12)


def test_all_masks_are_there_once_and_their_mean_is_eval_mode(dropout):
    assert len(np.unique(dropout.masks, axis=0)) == 1024 and np.allclose(dropout.masks.mean(axis=0), 1)
    with torch.no_grad():
        logits = dropout.small.eval()(torch.from_numpy(dropout.new_pixels)).numpy()
    np.testing.assert_allclose(dropout.eval_logits, logits, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dropout.members.mean(axis=0), logits, rtol=1e-10, atol=1e-11)
    product = np.exp(dropout.log_probabilities.sum(axis=0) / 1024)
    np.testing.assert_allclose(
        product / product.sum(axis=1, keepdims=True), dropout.eval_probabilities, rtol=1e-9, atol=1e-12
    )


def test_make_network_drops_behind_both_hidden_layers(dropout):
    model = dropout.make_network(0.3, width=5)
    layer_kinds = [type(layer).__name__ for layer in model]
    assert layer_kinds == ["Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert model(torch.zeros(2, 28, 28)).shape == (2, 10) and model[1].out_features == 5


def test_evaluate_matches_a_loop(dropout):
    model = dropout.models["with dropout"][1]
    x = dropout.valid_images[:50]
    y = dropout.valid_labels[:50]
    loss, accuracy = dropout.evaluate(model.train(), x, y)
    assert not model.training
    logits = [model(image[None])[0].detach() for image in x]
    losses = [F.cross_entropy(row, label).item() for row, label in zip(logits, y)]
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)
    correct = [int(row.argmax()) == int(label) for row, label in zip(logits, y)]
    assert accuracy == pytest.approx(np.mean(correct))


def test_training_with_one_seed_repeats_itself(dropout):
    first, second = (dropout.train(0.5, 3, n_train=50, n_epochs=2, batch_size=20) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters()))
    still = dropout.train(0.5, 3, n_train=50, n_epochs=3, batch_size=20, learning_rate=0.0)[1]
    assert still.shape == (3, 2) and np.ptp(still, axis=0).max() == 0


def test_paired_interval_is_students(dropout):
    low, high = dropout.paired_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert (low + high) / 2 == pytest.approx(2.5)
    assert (high - low) / 2 == pytest.approx(3.182 * np.sqrt(5 / 3) / 2)


def test_dropout_narrows_the_gap_on_every_seed(dropout):
    gaps = {name: (h[:, -1, 1] - h[:, -1, 0]) for name, h in dropout.histories.items()}
    assert (gaps["with dropout"] < 0.8 * gaps["without"]).all() and len(gaps["without"]) == 4


def test_auc_counts_pairs(dropout):
    scores = torch.tensor([0.1, 0.4, 0.4, 0.9])
    assert dropout.auc(scores, torch.tensor([False, False, True, True])) == pytest.approx(3.5 / 4)


def test_entropy_matches_pytorch_and_takes_zeros(dropout):
    p = torch.tensor([[0.2, 0.8], [0.0, 1.0]], dtype=torch.float64)
    expected = torch.distributions.Categorical(probs=p).entropy()
    torch.testing.assert_close(dropout.entropy(p), expected, rtol=1e-6, atol=1e-6)


# 8.2 weight_decay


@pytest.mark.parametrize("shapes", [[(1,)], [(3, 2), (7,), (1, 5)]])
def test_l2_penalty_and_its_gradient_match_autograd(weight_decay, shapes):
    rng = np.random.default_rng(0)
    weights = [torch.from_numpy(rng.normal(size=shape)).requires_grad_() for shape in shapes]
    penalty = weight_decay.l2_penalty(weights, 0.3)
    squares = sum(weight.detach().norm().item() ** 2 for weight in weights)
    assert penalty.item() == pytest.approx(0.15 * squares)
    for weight, grad in zip(weights, torch.autograd.grad(penalty, weights)):
        np.testing.assert_allclose(grad, 0.3 * weight.detach(), rtol=1e-10, atol=1e-12)
    assert weight_decay.l2_penalty([np.array([1, 2])], 0.5) == 1.25


def test_decayed_step_matches_sgd(weight_decay):
    rng = np.random.default_rng(1)
    weight, grads = rng.normal(size=(3, 2)), rng.normal(size=(10, 3, 2))
    before = weight.copy()
    ours = weight
    theirs = torch.from_numpy(weight.copy()).requires_grad_()
    optimizer = torch.optim.SGD([theirs], lr=0.2, weight_decay=0.7)
    for grad in grads:
        ours = weight_decay.decayed_step(ours, grad, 0.2, 0.7)
        theirs.grad = torch.from_numpy(grad)
        optimizer.step()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-10, atol=1e-12)
    assert np.array_equal(weight, before)


def test_penalty_in_the_loss_is_weight_decay_for_sgd(weight_decay):
    for ours, theirs in weight_decay.pairs:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert weight_decay.penalized is not weight_decay.decayed


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_soft_threshold_matches_softshrink(weight_decay, dtype):
    weight = np.array([-3.0, -0.4, -0.1, 0.0, 0.1, 0.4, 2.0]).astype(dtype)
    expected = F.softshrink(torch.from_numpy(weight.astype(np.float64)), 0.4)
    np.testing.assert_allclose(weight_decay.soft_threshold(weight, 0.4), expected, rtol=1e-6, atol=1e-7)


def random_quadratic(d, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d + 2, d))
    return root.T @ root / d, rng.normal(size=d)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_minimize_l2_has_no_slope_and_shrinks_by_the_formula(weight_decay, d):
    hessian, optimum = random_quadratic(d, d)
    weight = weight_decay.minimize_l2(hessian, optimum, 0.4)
    np.testing.assert_allclose(hessian @ (weight - optimum) + 0.4 * weight, 0, atol=1e-10)
    curvature, direction = np.linalg.eigh(hessian)
    shares = curvature / (curvature + 0.4)
    np.testing.assert_allclose(direction.T @ weight, shares * (direction.T @ optimum), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_minimize_l1_meets_its_conditions(weight_decay, d):
    hessian, optimum = random_quadratic(d, d)
    weight = weight_decay.minimize_l1(hessian, optimum, 0.4, n_steps=20_000)
    slope = hessian @ (weight - optimum)
    active = weight != 0
    np.testing.assert_allclose(slope[active], -0.4 * np.sign(weight[active]), atol=1e-8)
    assert np.all(np.abs(slope[~active]) <= 0.4 + 1e-8)
    beside = weight + 0.01 * np.random.default_rng(0).normal(size=(200, d))
    heights = [
        0.5 * (w - optimum) @ hessian @ (w - optimum) + 0.4 * np.abs(w).sum() for w in [weight, *beside]
    ]
    assert min(heights) == heights[0]


def test_minimizers_take_whole_numbers(weight_decay):
    hessian, optimum = np.array([[2, 0], [0, 1]]), np.array([3, 1])
    np.testing.assert_allclose(weight_decay.minimize_l2(hessian, optimum, 1), [2, 0.5], rtol=1e-10)
    np.testing.assert_allclose(weight_decay.minimize_l1(hessian, optimum, 0.5), [2.75, 0.5], rtol=1e-10)


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
    assert weight_decay.curvatures.min() > 0 and len(weight_decay.kept) == 2
    for strength, shares in weight_decay.kept.items():
        expected = weight_decay.curvatures / (weight_decay.curvatures + strength)
        np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_decay_groups_leave_vectors_alone(weight_decay):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    decayed, free = weight_decay.decay_groups(model, 0.4)
    assert decayed["weight_decay"] == 0.4 and free["weight_decay"] == 0.0
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3), (3, 2)]
    assert [tuple(p.shape) for p in free["params"]] == [(2,), (2,), (2,), (3,)]


def test_rules_written_out_are_the_librarys_and_shrink_by_their_own_share(weight_decay, monkeypatch):
    start, undecayed = weight_decay.start, weight_decay.end_of_walk(torch.optim.Adam, 0.0)
    assert len(weight_decay.rule_ends) == len(weight_decay.RULES) == 3
    for name, (library, strength) in weight_decay.RULES.items():
        ends = weight_decay.end_of_walk(library, strength)
        written = weight_decay.end_of_walk(torch.optim.Adam, 0.0, written_out=name)
        torch.testing.assert_close(ends, written, rtol=1e-10, atol=1e-12)
        assert (ends - undecayed).abs().max() > 0.01
    monkeypatch.setattr(weight_decay, "gradients", torch.zeros(3, 5, dtype=torch.float64))
    for name, share in (("AdamW, λ = 0.3", 0.02 * 0.3), ("paper, λ = 0.01", 0.01)):
        w = weight_decay.end_of_walk(torch.optim.Adam, 0.0, written_out=name)
        torch.testing.assert_close(w, (1 - share) ** 3 * start)


def test_train_noisy_keeps_its_parts_apart(weight_decay):
    _, row = weight_decay.train_noisy(0.0, 5, n_train=40, n_steps=300)
    assert row["train loss"] < 0.1 and 0.3 < row["test acc."] < 0.85  # learned by heart, noise included
    assert row["valid loss"] > 1 and row["test loss"] > 1


def test_every_strength_sees_the_same_labels_and_first_weights(weight_decay):
    first = [weight_decay.train_noisy(strength, 6, n_train=40, n_steps=1)[1] for strength in (0.0, 5.0)]
    assert first[0]["train loss"] == first[1]["train loss"]


# 8.3 batch_norm

BATCH_NORMS = pytest.mark.parametrize("kind", ["BatchNorm", "FastBatchNorm"])


@BATCH_NORMS
@pytest.mark.parametrize("shape", [(2, 1), (7, 5), (1, 3, 2, 1), (3, 5, 4, 7)])
@pytest.mark.parametrize("eps, momentum", [(1e-5, 0.1), (1e-2, 0.4)])
def test_batch_norm_layer_matches_pytorch_over_many_steps(batch_norm, kind, shape, eps, momentum):
    rng = np.random.default_rng(0)
    channels = shape[1]
    ours = getattr(batch_norm, kind)(channels, eps=eps, momentum=momentum)
    ours.weight, ours.bias = rng.normal(size=(2, channels))
    library = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    theirs = library(channels, eps=eps, momentum=momentum, dtype=torch.float64)
    theirs.weight.data, theirs.bias.data = torch.from_numpy(ours.weight), torch.from_numpy(ours.bias)
    for step in range(12):
        ours.training = step < 10
        theirs.train(step < 10)
        x, grad_out = rng.normal(loc=2, scale=3, size=(2, *shape))
        if step % 2:
            x, grad_out = np.asfortranarray(x), np.asfortranarray(grad_out)
        before = x.copy(), grad_out.copy()
        inputs = torch.from_numpy(x.copy(order="C")).requires_grad_()
        out = theirs(inputs)
        wanted = (inputs, theirs.weight, theirs.bias)
        grads = torch.autograd.grad(out, wanted, torch.from_numpy(grad_out.copy(order="C")))
        np.testing.assert_allclose(ours.forward(x), out.detach(), rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.backward(grad_out), grads[0], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(ours.grad_weight, grads[1], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.grad_bias, grads[2], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(ours.running_mean, theirs.running_mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(ours.running_var, theirs.running_var, rtol=1e-10, atol=1e-12)
        assert np.array_equal(x, before[0]) and np.array_equal(grad_out, before[1])


@BATCH_NORMS
def test_batch_norm_takes_whole_numbers(batch_norm, kind):
    x = np.array([[1, 10], [5, 30]])
    layer = getattr(batch_norm, kind)(2, eps=0.0)
    np.testing.assert_allclose(layer.forward(x), [[-1, -1], [1, 1]], rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, [1.7, 20.9], rtol=1e-12)


@BATCH_NORMS
def test_batch_norm_starts_and_keeps_its_dtype(batch_norm, kind):
    layer = getattr(batch_norm, kind)(3, dtype=np.float32)
    values = layer.weight, layer.bias, layer.running_mean, layer.running_var
    for value, expected in zip(values, (1, 0, 0, 1)):
        assert value.dtype == np.float32 and value.tolist() == [expected] * 3
    out = layer.forward(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    assert out.dtype == layer.backward(out).dtype == layer.running_var.dtype == np.float32
    assert (layer.eps, layer.momentum, layer.training) == (1e-5, 0.1, True)


@BATCH_NORMS
@pytest.mark.parametrize("shape", [(4, 2), (4,), (4, 2, 3), (2, 3, 4)])
def test_batch_norm_names_a_wrong_shape(batch_norm, kind, shape):
    with pytest.raises(ValueError, match="expected 3 channels"):
        getattr(batch_norm, kind)(3).forward(np.ones(shape))


@BATCH_NORMS
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (0, 3)])
def test_a_batch_of_one_raises_in_training_and_not_in_eval(batch_norm, kind, shape):
    layer = getattr(batch_norm, kind)(3)
    with pytest.raises(ValueError, match="more than one value"):
        layer.forward(np.ones(shape))
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]
    layer.training = False
    np.testing.assert_allclose(layer.forward(np.ones(shape)), np.ones(shape), rtol=1e-4)


@pytest.mark.parametrize("shape", [(2, 1), (7, 5)])
@pytest.mark.parametrize("eps, momentum", [(1e-5, 0.1), (1e-2, 0.4)])
def test_torch_batch_norm_matches_the_library(batch_norm, shape, eps, momentum):
    torch.manual_seed(0)
    ours = batch_norm.TorchBatchNorm(shape[1], eps=eps, momentum=momentum).double()
    theirs = nn.BatchNorm1d(shape[1], eps=eps, momentum=momentum).double()
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert missing == [] and unexpected == ["num_batches_tracked"]
    for step in range(8):
        x = torch.randn(shape, dtype=torch.float64) * 3 + 2
        grad_out = torch.randn(shape, dtype=torch.float64)
        results = []
        for layer in (ours.train(step < 6), theirs.train(step < 6)):
            inputs = x.clone().requires_grad_()
            out = layer(inputs)
            grads = torch.autograd.grad(out, (inputs, layer.weight, layer.bias), grad_out)
            results.append((out, *grads, layer.running_mean, layer.running_var))
        for mine, judge in zip(*results, strict=True):
            torch.testing.assert_close(mine, judge, rtol=1e-8, atol=1e-9)
    assert not ours.running_var.requires_grad


@pytest.mark.parametrize("n", [0, 1])
def test_torch_batch_norm_refuses_a_batch_of_one_and_keeps_its_statistics(batch_norm, n):
    layer = batch_norm.TorchBatchNorm(3)
    with pytest.raises(ValueError, match="two examples or more"):
        layer(torch.ones(n, 3))
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]
    torch.testing.assert_close(layer.eval()(torch.ones(n, 3)), torch.ones(n, 3), rtol=1e-4, atol=0)
    for shape in ((4, 2), (4, 1), (3,), (2, 3, 4)):
        with pytest.raises(ValueError, match="expected \\(N, 3\\)"):
            layer(torch.ones(shape))


def test_deep_network_has_its_depth_and_its_norms(batch_norm):
    model = batch_norm.deep_network(nn.BatchNorm1d, n_in=5, depth=4, width=6)
    assert model[0].in_features == 5
    assert [type(layer).__name__ for layer in model] == ["Linear", "BatchNorm1d", "ReLU"] * 4 + ["Linear"]
    torch.manual_seed(0)
    he = batch_norm.deep_network(None, he=True, depth=3, width=400)
    assert he[2].weight.std().item() == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_wandering_batch_norm_is_batch_norm_in_eval_mode_and_wanders_in_training(batch_norm):
    torch.manual_seed(0)
    ours = batch_norm.WanderingBatchNorm(50)
    theirs = nn.BatchNorm1d(50)
    shifts = []
    for _ in range(200):
        x = torch.randn(8, 50) * 3 + 1
        shifts.append((ours(x) - theirs(x)).detach())
        assert shifts[-1].std(dim=0).max() < 1e-5  # the same for all examples of a batch
    shifts = torch.stack(shifts)[20:, 0]  # (180, 50)
    assert shifts.std().item() == pytest.approx(0.65 / np.sqrt(1 - 0.8**2), rel=0.05)
    steps = (shifts[1:] - 0.8 * shifts[:-1]).std().item()
    assert steps == pytest.approx(0.65, rel=0.05)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_grouped_batch_norm_normalizes_every_ten(batch_norm):
    x = torch.randn(30, 4) * 3 + 1
    layer = batch_norm.GroupedBatchNorm(4)
    for part in layer(x).split(10):
        torch.testing.assert_close(part.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-6)
    expected = nn.BatchNorm1d(4, momentum=0.01)
    for part in x.split(10):
        expected(part)
    torch.testing.assert_close(layer.eval()(x), expected.eval()(x))


def test_accuracy_counts_in_eval_mode(batch_norm):
    model = nn.Sequential(nn.Dropout(0.9))
    scores = torch.eye(3)[[0, 1, 2, 2]]
    assert batch_norm.accuracy(model, scores, torch.tensor([0, 1, 2, 1])) == 0.75 and not model.training


def test_movement_measures_in_spreads(batch_norm):
    mean = np.array([[0.0, 0.0], [1.0, -1.0], [0.0, 0.0], [1.0, -1.0]])
    steps, whole = batch_norm.movement({"mean": mean, "spread": np.full((4, 2), 2.0)})
    assert steps == pytest.approx(0.5) and whole == pytest.approx(0.25)


def test_batch_norm_trains_what_does_not_train_without(batch_norm):
    found = {}
    for norm in (None, nn.BatchNorm1d):
        model, losses, received = batch_norm.train(norm, 0.1, seed=20, n_steps=40)
        assert losses.shape == (40,) and received["mean"].shape == (40, 64)
        found[norm] = losses[-5:].mean()
    assert found[None] > 2.2 and found[nn.BatchNorm1d] < 1.5


@pytest.mark.parametrize("n_in, n_out", [(1, 1), (5, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_folded_layer_matches_linear_and_norm(batch_norm, n_in, n_out, bias):
    torch.manual_seed(0)
    linear = nn.Linear(n_in, n_out, bias=bias).double()
    norm = nn.BatchNorm1d(n_out, eps=0.01).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    for _ in range(5):
        norm(linear(torch.randn(9, n_in, dtype=torch.float64)))
    folded = batch_norm.fold(linear, norm.eval())
    x = torch.randn(4, n_in, dtype=torch.float64)
    torch.testing.assert_close(folded(x), norm(linear(x)), rtol=1e-10, atol=1e-12)


# 8.4 layer_norm


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (0, 3), (3, 4, 11)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_layer_norm_and_its_backward_match_pytorch(layer_norm, shape, eps):
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(loc=2, scale=3, size=(2, *shape))
    weight, bias = rng.normal(size=(2, shape[-1]))
    before = [array.copy() for array in (x, cotangent, weight, bias)]
    inputs = [torch.from_numpy(value).requires_grad_() for value in (x, weight, bias)]
    expected = F.layer_norm(inputs[0], shape[-1:], *inputs[1:], eps=eps)
    out, cache = layer_norm.layer_norm(np.asfortranarray(x), weight, bias, eps)
    np.testing.assert_allclose(out, expected.detach(), rtol=1e-10, atol=1e-12)
    grads = torch.autograd.grad(expected, inputs, torch.from_numpy(cotangent))
    for ours, theirs in zip(layer_norm.layer_norm_backward(cotangent, cache), grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
    for array, copy in zip((x, cotangent, weight, bias), before):
        np.testing.assert_array_equal(array, copy)


def test_layer_norm_takes_whole_numbers(layer_norm):
    x, one = np.array([[1, 2, 6], [0, 5, 5]]), np.ones(3, dtype=int)
    expected, cache = layer_norm.layer_norm(x.astype(float), one.astype(float), one.astype(float))
    out, whole_cache = layer_norm.layer_norm(x, one, one)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    for ours, theirs in zip(
        layer_norm.layer_norm_backward(x, whole_cache), layer_norm.layer_norm_backward(x.astype(float), cache)
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("shape, width", [((4, 3), 1), ((3, 3), 4), ((2, 4, 3), 2)])
def test_layer_norm_names_a_wrong_gain_or_shift(layer_norm, shape, width):
    for gain, shift in ((width, 3), (3, width)):
        with pytest.raises(ValueError, match="gains and shifts"):
            layer_norm.layer_norm(np.ones(shape), np.ones(gain), np.ones(shift))


@pytest.mark.parametrize("axes", [0, -1, (0, 2), (1, 2)])
def test_standardise_and_rms_norm_match_their_formulas(layer_norm, axes):
    x = torch.from_numpy(np.random.default_rng(1).normal(loc=1, scale=2, size=(3, 2, 5)))
    out, spread = layer_norm.standardise(x.numpy(), axes, eps=0.1)
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
    np.testing.assert_allclose(out, (x - mean) / (variance + 0.1).sqrt(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(spread, (variance + 0.1).sqrt(), rtol=1e-10, atol=1e-12)
    square = x.square().mean(dim=axes, keepdim=True)
    expected = x / (square + 0.1).sqrt()
    np.testing.assert_allclose(layer_norm.rms_norm(x.numpy(), axes, eps=0.1), expected, rtol=1e-10)


def test_norms_keep_float32(layer_norm):
    x, weight = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    out, cache = layer_norm.layer_norm(x, weight, weight)
    assert {part.dtype for part in (out, *layer_norm.layer_norm_backward(x, cache))} == {x.dtype}
    assert layer_norm.rms_norm(x, -1).dtype == x.dtype


@pytest.mark.parametrize("d", [1, 13, 256])
def test_company_changes_batch_norm_and_not_layer_norm(layer_norm, d):
    rng = np.random.default_rng(2)
    room, (weight, bias) = rng.normal(size=(6, d)), rng.normal(size=(2, d))
    alone = layer_norm.layer_norm(room[:1], weight, bias)[0]
    np.testing.assert_array_equal(layer_norm.layer_norm(room, weight, bias)[0][:1], alone)
    few, many = (layer_norm.standardise(part, 0)[0][0] for part in (room[:3], room))
    assert np.abs(many - few).max() > 0.01


def test_clothes_network_puts_a_norm_behind_both_hidden_layers(layer_norm):
    model = layer_norm.clothes_network(nn.LayerNorm, width=5)
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["Flatten", *["Linear", "LayerNorm", "ReLU"] * 2, "Linear"]
    assert [m.out_features for m in model if isinstance(m, nn.Linear)] == [5, 5, 10]


def test_error_rate_counts_whatever_the_batch_size(layer_norm):
    logits = torch.eye(10)[torch.arange(30) % 10]
    labels = torch.arange(30) % 10
    labels[:3] = 9
    for size in (1, 7, 30, 2000):
        assert layer_norm.error_rate(nn.Identity(), logits, labels, size) == pytest.approx(0.1)


def test_training_with_layer_norm_repeats(layer_norm):
    first, second = (layer_norm.train(nn.LayerNorm, 30, seed=1, n_train=70, n_epochs=2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters()))
    assert first[1] == second[1] and len(first[1]) == 2
    torch.manual_seed(1)
    assert not torch.equal(first[0][1].weight, layer_norm.clothes_network(nn.LayerNorm)[1].weight)


def test_batch_norm_breaks_at_two_and_layer_norm_does_not(layer_norm):
    final = layer_norm.final
    assert final["batch norm", 2].min() > 0.35 > 0.27 > final["layer norm", 2].max()
    assert all(errors.mean() < 0.27 for key, errors in final.items() if key != ("batch norm", 2))
    assert all(len(errors) == 4 for errors in final.values())
    assert len(layer_norm.errors_in_pairs) == 4 and min(layer_norm.errors_in_pairs) > 0.35


def test_padded_puts_letters_first_and_zeros_behind(layer_norm):
    vectors, mask = layer_norm.padded(["az", "b"], 3)
    assert mask.tolist() == [[True, True, False], [True, False, False]]
    np.testing.assert_array_equal(vectors[0, :2], layer_norm.letters[[1, 26]])
    np.testing.assert_array_equal(vectors[1, 0], layer_norm.letters[2])
    assert np.all(vectors[~mask] == 0) and np.all(np.any(layer_norm.letters[1:] != 0, axis=1))
    for bad, others in (("Noah", "'N'"), ("jean-luc", "'-'"), ("zoë", "'ë'"), ("{}", "'{}'")):
        with pytest.raises(ValueError, match=f"{bad!r} has {others} in it"):
            layer_norm.padded(["ann", bad], 10)
    with pytest.raises(ValueError, match="'long' has 4 letters, and there is room for 3"):
        layer_norm.padded(["ann", "long"], 3)
    vectors, mask = layer_norm.padded(["", "ann"], 3)
    assert mask.sum(axis=1).tolist() == [0, 3] and np.all(vectors[0] == 0)


def test_padding_leaks_through_averages_over_positions_only(layer_norm):
    rng = np.random.default_rng(3)
    vectors = rng.normal(loc=1, size=(4, 6, 3))
    longer = np.concatenate([vectors, np.zeros((4, 5, 3))], axis=1)
    for axes, leaks in (((0, 1), True), ((1, 2), True), ((2,), False)):
        change = layer_norm.standardise(longer, axes)[0][:, :6] - layer_norm.standardise(vectors, axes)[0]
        assert (np.abs(change).max() > 0.1) == leaks
    assert max(layer_norm.leaks["layer norm, each position"]) < 1e-12


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


def test_only_post_norm_keeps_a_large_last_gradient(layer_norm):
    for seed in (20, 21):
        post, pre = (layer_norm.last_gradient(kind, 24, seed) for kind in (False, True))
        assert post > 1.5 * pre


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


def test_stopper_keeps_nothing_it_was_given(early_stopping):
    losses = [0.5, 0.4, 0.45, 0.47]
    assert early_stopping.stop_epoch(losses, 2) == (4, 2) and losses == [0.5, 0.4, 0.45, 0.47]
    layer, stopper = nn.Linear(2, 1), early_stopping.EarlyStopping(1)
    stopper.update(1.0, layer)
    assert stopper.weights["weight"].data_ptr() != layer.weight.data_ptr()


def test_log_reads_back_exactly_and_at_once(early_stopping, tmp_path):
    path = tmp_path / "log.csv"
    log = early_stopping.CsvLog(path, ("train", "valid"))
    assert [column.tolist() for column in early_stopping.read_log(path).values()] == [[], [], []]
    values = [(0.1 + 0.2, float("nan")), (1e-300, 2.5), (7.0, float("inf"))]
    for epoch, (train, valid) in enumerate(values, 1):
        log.add(epoch, valid=valid, train=train)
        assert len(early_stopping.read_log(path)["epoch"]) == epoch  # at once, not at the end
    table = early_stopping.read_log(path)
    assert list(table) == ["epoch", "train", "valid"] and table["epoch"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(np.column_stack([table["train"], table["valid"]]), values)


def test_log_names_missing_columns(early_stopping, tmp_path):
    log = early_stopping.CsvLog(tmp_path / "log.csv", ("train", "valid"))
    for values in ({"train": 1.0}, {"train": 1.0, "valid": 2.0, "extra": 3.0}):
        with pytest.raises(ValueError, match="expected values for"):
            log.add(1, **values)


def test_history_of_the_lesson_holds_what_the_stopper_saw(early_stopping):
    for _, history, stopper in early_stopping.runs.values():
        valid = history["losses"][:, :1000].mean(axis=1)
        assert stopper.best == pytest.approx(valid[: history["stop"]].min())
        assert history["correct"].shape == history["losses"].shape == (60, 3000)
        assert len(history["train"]) == 60 and history["train"][-1] < history["train"][0]
    assert len(early_stopping.runs) == 8
    history = early_stopping.runs["careless", 0][1]
    valid = history["losses"][:20, :1000].mean(axis=1)
    np.testing.assert_allclose(early_stopping.logged["valid"], valid, rtol=1e-6)
    np.testing.assert_allclose(early_stopping.logged["train"], history["train"][:20], rtol=1e-6)


def test_kept_weights_are_those_of_the_best_epoch(early_stopping):
    model, _, stopper = early_stopping.runs["clean", 1]
    torch.manual_seed(1)
    valid = torch.randperm(5000)[1000:2000]
    last = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stopper.restore(model)
    with torch.no_grad():
        loss = F.cross_entropy(model(early_stopping.pictures[valid]), early_stopping.kinds[valid]).item()
    model.load_state_dict(last)
    assert loss == pytest.approx(stopper.best, abs=1e-4)


def test_train_watched_repeats_and_replaces_only_its_share(early_stopping):
    runs = [early_stopping.train_watched(0.3, 2, n_epochs=2) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][0].parameters(), runs[1][0].parameters()))
    careless = runs[1][1]["train"][1]
    _, clean, _ = early_stopping.train_watched(0.0, 2, n_epochs=2)
    assert careless > clean["train"][1] + 0.2 and clean["rate"] == [2e-3] * 2
    still = early_stopping.train_watched(0.0, 2, 8, learning_rate=0.0)
    assert still[1]["stop"] == 6 and still[2].best_epoch == 1
    _, falling, _ = early_stopping.train_watched(0.0, 2, 4, falling=True)
    np.testing.assert_allclose(falling["rate"], 1e-3 * (1 + np.cos(np.pi * np.arange(4) / 4)), rtol=1e-6)


def test_loss_by_answer_is_a_mean_of_each_part(early_stopping):
    history = {
        "losses": np.hstack([np.full((2, 1000), 9.0), [[1.0, 2, 6], [3, 5, 4]]]),
        "correct": np.hstack([np.zeros((2, 1000), bool), [[True, False, True], [False, True, False]]]),
    }
    right, wrong = early_stopping.loss_by_answer(history)
    assert right.tolist() == [3.5, 5.0] and wrong.tolist() == [2.0, 3.5]


def test_interval_covers_the_mean_of_each_row(early_stopping):
    values = np.array([[1.0, 2, 3, 6], [0, 0, 0, 0]])
    middle, half = early_stopping.interval(values)
    np.testing.assert_allclose(middle, [3, 0])
    np.testing.assert_allclose(half, [1.96 * np.sqrt(14 / 3) / 2, 0])


def test_loss_rises_where_accuracy_holds(early_stopping):
    changes = {key: np.mean(values) for key, values in early_stopping.accuracy_changes.items()}
    assert abs(changes["clean"]) < 0.02 < 0.03 < -changes["careless"]
    for seed in range(4):
        losses = early_stopping.runs["clean", seed][1]["losses"].mean(axis=1)
        assert losses[-1] > losses.min() + 0.05


def test_patience_pays_until_it_only_costs(early_stopping):
    kept, paid = early_stopping.kept, early_stopping.epochs_paid
    assert kept[1] > kept[2] > kept[8] > early_stopping.mean_curves.min(axis=1).mean()
    assert np.mean(paid[1]) < np.mean(paid[4]) < np.mean(paid[16]) <= early_stopping.n_epochs


def test_choosing_on_a_small_set_flatters(early_stopping):
    gaps = early_stopping.promised_too_much
    assert (
        gaps["chosen epoch"][0] > 0.03 > gaps["chosen epoch"][-1] and np.abs(gaps["last epoch"]).max() < 0.02
    )


def test_stopping_shrinks_like_weight_decay(early_stopping):
    x = early_stopping.curvatures / early_stopping.strength
    np.testing.assert_allclose(early_stopping.decayed_share, x / (1 + x), rtol=1e-8)
    np.testing.assert_allclose(early_stopping.stopped_share, 1 - np.exp(-x), atol=0.02)


# 8.6 data_augmentation


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (4, 6, 11)])
def test_shift_flip_and_cut_out_match_torchvision_image_by_image(data_augmentation, shape):
    rng = np.random.default_rng(0)
    n, h, w = shape
    images = rng.random(shape)
    down, right = rng.integers(-h - 1, h + 2, n), rng.integers(-w - 1, w + 2, n)
    which, top, left = rng.random(n) < 0.5, rng.integers(0, h, n), rng.integers(0, w, n)
    size = min(h, w, 3)
    before = images.copy()
    shifted = data_augmentation.shift(np.asfortranarray(images), down, right)
    flipped = data_augmentation.flip(images, which)
    cut = data_augmentation.cut_out(images, top, left, size)
    np.testing.assert_array_equal(images, before)
    tv = v2.functional
    for i, image in enumerate(torch.from_numpy(images)[:, None]):
        moved = tv.crop(tv.pad(image, [w + 1, h + 1]), h + 1 - down[i], w + 1 - right[i], h, w)
        np.testing.assert_array_equal(shifted[i], moved[0])
        np.testing.assert_array_equal(flipped[i], tv.horizontal_flip(image)[0] if which[i] else image[0])
        hole = image.clone()
        hole[0, top[i] : top[i] + size, left[i] : left[i] + size] = 0
        np.testing.assert_array_equal(cut[i], hole[0])


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
def test_changes_keep_the_dtype_and_take_no_images(data_augmentation, dtype):
    images = np.arange(24).reshape(2, 3, 4).astype(dtype)
    one = np.ones(2, dtype=int)
    assert data_augmentation.shift(images, one, -one).dtype == dtype
    assert data_augmentation.cut_out(images, one, one, 2).dtype == dtype
    changed = data_augmentation.augment(images, np.random.default_rng(0), 1, 0.5, 2)
    assert changed.dtype == dtype and changed.shape == (2, 3, 4)
    assert data_augmentation.augment(images[:0], np.random.default_rng(0), 1, 0.5, 2).shape == (0, 3, 4)


def test_augment_does_what_it_is_asked_and_nothing_else(data_augmentation):
    rng = np.random.default_rng(2)
    images = (0.5 + rng.random((40, 28, 28))).astype(np.float32)
    np.testing.assert_array_equal(data_augmentation.augment(images, rng), images)
    holes = data_augmentation.augment(images, rng, hole=6)
    assert np.all(np.sum(holes == 0, axis=(1, 2)) == 36)
    flipped = data_augmentation.augment(images, rng, flip_share=0.5)
    mirrored = np.all(flipped == images[:, :, ::-1], axis=(1, 2))
    assert 8 < mirrored.sum() < 32 and np.all(mirrored | np.all(flipped == images, axis=(1, 2)))
    empty = np.sum(data_augmentation.augment(images, rng, max_shift=1) == 0, axis=(1, 2))
    assert set(empty) <= {0, 28, 55} and len(set(empty)) == 3


def test_mixup_matches_its_formula(data_augmentation):
    rng = np.random.default_rng(1)
    images = rng.random((5, 3, 2))
    targets = data_augmentation.one_hot(np.array([0, 3, 1, 1, 2]), 4)
    mixed, mixed_targets = data_augmentation.mixup(images, targets, 0.3)
    for i in range(5):
        np.testing.assert_allclose(mixed[i], 0.3 * images[i] + 0.7 * images[i - 1], rtol=1e-12)
        np.testing.assert_allclose(mixed_targets[i], 0.3 * targets[i] + 0.7 * targets[i - 1], rtol=1e-6)
    assert data_augmentation.mixup(images.astype(np.float32), targets, np.float64(0.3))[0].dtype == np.float32
    whole = np.array([[[0, 4]], [[8, 2]]])
    mixed, mixed_targets = data_augmentation.mixup(whole, np.eye(2, dtype=int), 0.25)
    assert mixed.tolist() == [[[6.0, 2.5]], [[2.0, 3.5]]]
    assert mixed_targets.tolist() == [[0.25, 0.75], [0.75, 0.25]]


def test_one_hot_matches_pytorch_and_names_a_bad_label(data_augmentation):
    labels = np.array([2, 0, 1, 2])
    ours = data_augmentation.one_hot(labels, 4)
    assert ours.dtype == np.float32 and np.array_equal(ours, F.one_hot(torch.from_numpy(labels), 4))
    assert data_augmentation.one_hot(labels[:0], 4).shape == (0, 4)
    for bad in ([-1, 0], [0, 4]):
        with pytest.raises(ValueError, match="labels go from"):
            data_augmentation.one_hot(np.array(bad), 4)


def test_pictures_draws_anew_only_with_a_random_transform(data_augmentation):
    images = np.random.default_rng(0).random((3, 28, 28)).astype(np.float32)
    labels = np.array([4, 0, 9])
    plain = data_augmentation.Pictures(images, labels, v2.Identity())
    assert len(plain) == 3 and [int(label) for _, label in plain] == [4, 0, 9]
    np.testing.assert_array_equal(plain[1][0][0], images[1])
    torch.manual_seed(0)
    changed = data_augmentation.Pictures(images, labels, data_augmentation.train_transform)
    assert changed[1][0].shape == (1, 28, 28) and not torch.equal(changed[1][0], changed[1][0])


def test_predict_takes_mirrored_views_and_is_in_eval_mode(data_augmentation):
    images = np.zeros((2, 1, 3), np.float32)
    images[0, 0, 0] = images[1, 0, 1] = 1
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.99))
    assert data_augmentation.predict(model, images).tolist() == [0, 1]
    assert data_augmentation.predict(model, images[:, :, ::-1]).tolist() == [2, 1]
    sure = data_augmentation.confidence(model.train(), images)
    assert sure == pytest.approx(np.e / (np.e + 2), rel=1e-6)


def test_flips_spoil_digits(data_augmentation):
    accuracy = data_augmentation.digit_accuracy
    for seed in range(4):
        assert accuracy[0.0, seed] > accuracy[0.5, seed] and accuracy[0.0, seed] > 0.85
    assert data_augmentation.answers_kept[0] > 0.9 and max(data_augmentation.answers_kept[[3, 7]]) < 0.15


def test_training_repeats_and_obeys_its_settings(data_augmentation):
    settings = {"n_train": 200, "n_steps": 20, "changes": {"max_shift": 1}}
    first, second = (data_augmentation.train(5, **settings) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    others = [
        data_augmentation.train(5, n_train=200, n_steps=20, **extra)
        for extra in ({}, {"dropout": 0.5}, {"weight_decay": 5.0})
    ]
    weights = [model[2].weight for model in (first, *others)]
    for i in range(len(weights)):
        assert not any(torch.equal(weights[i], weights[j]) for j in range(i))
    assert weights[3].norm() < 0.9 * weights[1].norm()


def test_soft_training_is_the_same_but_for_its_targets(data_augmentation):
    plain = data_augmentation.train(5, n_steps=20)[2].weight
    hard, again = (data_augmentation.train_soft(5, n_steps=20)[2].weight for _ in range(2))
    assert torch.equal(hard, again)
    torch.testing.assert_close(hard, plain, rtol=1e-3, atol=1e-4)
    settings = ({"smoothing": 0.3}, {"mix": 0.4}, {"mix": 0.4, "smoothing": 0.3})
    weights = [hard, *(data_augmentation.train_soft(5, n_steps=20, **extra)[2].weight for extra in settings)]
    for i in range(len(weights)):
        assert not any(torch.allclose(weights[i], weights[j], rtol=1e-3, atol=1e-4) for j in range(i))


# 8.7 recipe


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (0, 4, 6)])
def test_recipe_augments_each_image_by_itself(recipe, shape):
    torch.manual_seed(0)
    images = torch.rand(shape) + 0.5
    before = images.clone()
    assert torch.equal(recipe.augment(images, 0, False), images)
    changed = recipe.augment(images, 2, True)
    assert changed.shape == images.shape and torch.equal(images, before)
    n, h, w = shape
    for image, result in zip(images, changed):
        padded = F.pad(image, [2] * 4)
        windows = [padded[i : i + h, j : j + w] for i in range(5) for j in range(5)]
        windows += [window.flip(1) for window in windows]
        assert any(torch.equal(result, window) for window in windows)


def test_recipe_augmentation_draws_each_shift_and_both_directions(recipe):
    torch.manual_seed(1)
    image = torch.arange(9.0).reshape(1, 3, 3) + 1
    shifts = {
        tuple(result.flatten().tolist()) for result in recipe.augment(image.repeat(400, 1, 1), 1, False)
    }
    assert len(shifts) == 9
    mirrored = recipe.augment(image.repeat(400, 1, 1), 0, True)
    share = (mirrored == image.flip(2)).all(dim=2).all(dim=1).float().mean().item()
    assert 0.4 < share < 0.6


def test_recipe_network_has_what_its_settings_say(recipe):
    kinds = [type(layer).__name__ for layer in recipe.make_network(True, 0.3, width=5)]
    assert kinds == ["Flatten", *["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 2, "Linear"]
    plain = recipe.make_network(False, 0.0)
    assert [type(layer).__name__ for layer in plain][1:] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert plain(torch.zeros(3, 28, 28)).shape == (3, 10)


def test_recipe_evaluates_in_eval_mode_over_all_batches(recipe):
    logits = torch.eye(10)[torch.arange(1100) % 10]
    labels = torch.arange(1100) % 10
    labels[1000:1011] = (labels[1000:1011] + 1) % 10
    dataset = torch.utils.data.TensorDataset(logits.to(recipe.device), labels)
    model = nn.Dropout(0.9).train()
    loss, accuracy = recipe.evaluate(model, dataset)
    assert accuracy == pytest.approx(0.99) and loss == pytest.approx(F.cross_entropy(logits, labels).item())
    assert not model.training


def test_recipe_training_repeats_and_decays_matrices_only(recipe):
    short = {**recipe.PLAIN, "n_epochs": 2}
    (first, history), (second, _) = (recipe.train(short, 3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert history.shape == (1, 5) and history[-1, 0] < 2 and 0.3 < history[-1, 3] < 1
    assert recipe.histories["nothing"][0, :, 4].tolist() == list(range(5, 81, 5))
    assert recipe.train({**short, "n_epochs": 6}, 3)[1][:, 4].tolist() == [5, 6]
    decayed, _ = recipe.train({**short, "weight_decay": 20.0}, 3)
    assert decayed[1].weight.norm() < 0.8 * first[1].weight.norm()
    assert decayed[1].bias.norm() > 0.5 * first[1].bias.norm()
    for change in ({"max_shift": 1}, {"flip": True}, {"dropout": 0.3}, {"smoothing": 0.1}, {"norm": True}):
        other, _ = recipe.train({**short, **change}, 3)
        assert not torch.equal(other[1].weight, first[1].weight)


def test_recipe_keeps_what_its_rule_says(recipe):
    kept = "nothing"
    for name in recipe.STEPS:
        gains = recipe.histories[name][:, -1, 3] - recipe.histories[kept][:, -1, 3]
        assert recipe.decisions[name] == (gains.mean() >= recipe.SMALLEST_GAIN)
        kept = name if recipe.decisions[name] else kept
    assert kept == recipe.kept_name and len(recipe.decisions) == 6


# settings at the edge

FEW = {"n_train": 30, "n_epochs": 1}


@pytest.mark.parametrize(
    "stem, call, shape",
    [
        ("dropout", lambda m: m.train(0.5, 0, n_train=30, n_epochs=0)[1], (0, 2)),
        ("dropout", lambda m: m.train(0.5, 0, **FEW, batch_size=7)[1], (1, 2)),
        ("dropout", lambda m: m.train(0.5, 0, **FEW, batch_size=50)[1], (1, 2)),
        ("dropout", lambda m: m.train(0.5, 0, **FEW, learning_rate=100.0)[1], (1, 2)),
        ("weight_decay", lambda m: m.ridge_by_descent(np.eye(3), np.ones(3), 0.1, n_steps=0), (3,)),
        ("weight_decay", lambda m: m.minimize_l1(np.eye(3), np.ones(3), 0.1, n_steps=0), (3,)),
        ("weight_decay", lambda m: list(m.train_noisy(0.0, 0, n_train=1, n_steps=1)[1].values()), (5,)),
        ("batch_norm", lambda m: m.train(None, 0.1, 0, n_steps=0)[1], (0,)),
        ("batch_norm", lambda m: m.train(nn.BatchNorm1d, 0.0, 0, n_steps=2)[1], (2,)),
        ("batch_norm", lambda m: m.train(nn.BatchNorm1d, 100.0, 0, n_steps=2)[1], (2,)),
        ("batch_norm", lambda m: m.fit_clothes(None, 0, n_train=30, n_epochs=0), (3,)),
        ("batch_norm", lambda m: m.fit_clothes(nn.BatchNorm1d, 0, **FEW, batch_size=8), (3,)),
        ("batch_norm", lambda m: m.fit_clothes(nn.BatchNorm1d, 0, **FEW, batch_size=50), (3,)),
        ("layer_norm", lambda m: m.train(nn.LayerNorm, 8, 0, n_train=30, n_epochs=0)[1], (0,)),
        ("layer_norm", lambda m: m.train(nn.BatchNorm1d, 8, 0, **FEW)[1], (1,)),
        ("layer_norm", lambda m: m.train(nn.LayerNorm, 30, 0, **FEW, rate_at_16=100.0)[1], (1,)),
        ("data_augmentation", lambda m: m.train_digits(0.5, 0, n_steps=0)[1].weight.tolist(), (32, 64)),
        ("data_augmentation", lambda m: m.train(0, n_train=100, n_steps=0)[2].weight.tolist(), (128, 196)),
        ("data_augmentation", lambda m: m.train(0, n_train=100, n_steps=3)[2].weight.tolist(), (128, 196)),
        ("recipe", lambda m: m.train(m.PLAIN | {"n_epochs": 0}, 0)[1], (0, 5)),
    ],
)
def test_training_takes_settings_at_the_edge(lesson, stem, call, shape):
    found = np.array(call(lesson(stem)))
    assert found.shape == shape and np.isfinite(found).all()


@pytest.mark.parametrize("n_epochs, learning_rate", [(0, 2e-3), (1, 0.0), (1, 100.0)])
def test_watched_training_takes_settings_at_the_edge(early_stopping, n_epochs, learning_rate):
    _, history, stopper = early_stopping.train_watched(0.2, 0, n_epochs, learning_rate, falling=True)
    assert history["losses"].shape == history["correct"].shape == (n_epochs, 3000)
    assert history["stop"] is None and stopper.epoch == n_epochs
    assert len(history["train"]) == len(history["rate"]) == n_epochs


@pytest.mark.parametrize(
    "stem, call, names",
    [
        ("dropout", lambda m: m.train(0.5, 0, n_train=4001), "n_train = 4001"),
        ("weight_decay", lambda m: m.train_noisy(0.0, 0, n_train=1397), "n_train <= 1396"),
        ("weight_decay", lambda m: m.train_noisy(0.0, 0, n_steps=0), "n_steps >= 1"),
        ("batch_norm", lambda m: m.fit_clothes(None, 0, n_train=3001), "n_train = 3001"),
        ("layer_norm", lambda m: m.train(nn.LayerNorm, 500, 0), "batch_size <= n_train"),
        ("layer_norm", lambda m: m.train(nn.LayerNorm, 2, 0, n_train=3001), "n_train <= 3000"),
        ("data_augmentation", lambda m: m.train(0, n_train=0), "multiple of 100"),
        ("data_augmentation", lambda m: m.train(0, n_train=250), "multiple of 100"),
        ("data_augmentation", lambda m: m.train(0, n_train=4100), "to 4,000"),
    ],
)
def test_training_names_settings_that_it_cannot_take(lesson, stem, call, names):
    with pytest.raises(ValueError, match=names):
        call(lesson(stem))


# numbers of every kind


WHOLE_X, WHOLE_Y = (np.random.default_rng(0).integers(0, 5, s).astype(float) for s in [(4, 3), (4,)])
GAIN = [1.0, 2, 0]
PIXELS = np.random.default_rng(1).integers(0, 5, (3, 4, 5)).astype(float)


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("dropout", lambda m, x: m.dropout_forward(x, 0.5, True, np.random.default_rng(0))[0], [WHOLE_X]),
        ("dropout", lambda m, x: m.log_softmax(x), [WHOLE_X]),
        ("weight_decay", lambda m, w: m.l2_penalty([w], 0.1), [WHOLE_X]),
        ("weight_decay", lambda m, w, g: m.decayed_step(w, g, 0.1, 0.5), [WHOLE_X, WHOLE_X]),
        ("weight_decay", lambda m, x, y: m.ridge(x, y, 0.1), [WHOLE_X, WHOLE_Y]),
        ("weight_decay", lambda m, w: m.soft_threshold(w, 1.5), [WHOLE_X]),
        ("layer_norm", lambda m, x: m.standardise(x, 1)[0], [WHOLE_X]),
        ("layer_norm", lambda m, x, g: m.layer_norm(x, g, g)[0], [WHOLE_X, GAIN]),
        ("layer_norm", lambda m, x, g: m.layer_norm_backward(x, m.layer_norm(x, g, g)[1]), [WHOLE_X, GAIN]),
        ("layer_norm", lambda m, x: m.rms_norm(x, 1), [WHOLE_X]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays, float32=call.__code__.co_names[0] != "ridge")


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
        return out, layer.backward(cotangent), layer.grad_weight, layer.grad_bias

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
