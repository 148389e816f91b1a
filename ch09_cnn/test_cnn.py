"""Chapter 9: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def convolution(lesson):
    return lesson("convolution")


@pytest.fixture
def pooling(lesson):
    return lesson("pooling")


@pytest.fixture
def architectures(lesson):
    return lesson("architectures")


@pytest.fixture
def residual_blocks(lesson):
    return lesson("residual_blocks")


@pytest.fixture
def transfer_learning(lesson):
    return lesson("transfer_learning")


@pytest.fixture
def convolution_backward(lesson):
    return lesson("convolution_backward")


# 9.1 convolution


def torch_conv(x, weight, bias, *settings):
    bias = None if bias is None else torch.from_numpy(bias)
    return F.conv2d(torch.from_numpy(x), torch.from_numpy(weight), bias, *settings).numpy()


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(
    "batch_size, size, kernel_size", [(1, (7, 11), (3, 2)), (3, (5, 5), (1, 5)), (2, (13, 6), (2, 1))]
)
def test_conv2d_matches_pytorch(convolution, batch_size, size, kernel_size, groups):
    rng = np.random.default_rng(groups)
    x, bias = rng.normal(size=(batch_size, 6, *size)), rng.normal(size=12)
    weight = rng.normal(size=(12, 6 // groups, *kernel_size))
    for stride, padding, dilation in np.ndindex(4, 4, 3):
        settings = stride + 1, padding, dilation + 1, groups
        try:
            expected = torch_conv(x, weight, bias, *settings)
        except RuntimeError:  # the filter does not fit
            for ours in (convolution.conv2d, convolution.conv2d_loops):
                with pytest.raises(ValueError, match="does not fit"):
                    ours(x, weight, bias, *settings)
            continue
        ours = convolution.conv2d(x, weight, bias, *settings)
        assert ours.dtype == np.float64 and ours.flags.c_contiguous
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)
        if stride == padding == dilation:
            loops = convolution.conv2d_loops(x, weight, None, *settings)
            np.testing.assert_allclose(loops, torch_conv(x, weight, None, *settings), rtol=1e-10, atol=1e-12)


def test_conv2d_keeps_float32(convolution):
    x = np.ones((1, 2, 4, 4), dtype=np.float32)
    assert convolution.conv2d(x, x[:, :, :3, :3], x[0, 0, 0, :1], padding=1).dtype == np.float32


@pytest.mark.parametrize(
    "x, weight, groups",
    [((1, 2, 5, 5), (4, 3, 3, 3), 1), ((1, 4, 5, 5), (3, 2, 3, 3), 2), ((2, 5, 5), (4, 2, 3, 3), 1)],
)
def test_conv2d_names_the_shapes(convolution, x, weight, groups):
    for conv in (convolution.conv2d, convolution.conv2d_loops):
        with pytest.raises(ValueError) as caught:
            conv(np.ones(x), np.ones(weight), groups=groups)
        assert str(x) in str(caught.value) and str(weight) in str(caught.value)


@pytest.mark.parametrize("height, width", [(5, 5), (4, 7)])
def test_matrix_of_a_filter_is_the_filter(convolution, height, width):
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(2, 1, 3, 2)), rng.normal(size=(height, width))
    matrix = convolution.matrix_of(
        lambda images: convolution.conv2d(images, weight, padding=1), height, width
    )
    expected = torch_conv(x[None, None], weight, None, 1, 1).ravel()
    np.testing.assert_allclose(matrix @ x.ravel(), expected, rtol=1e-10, atol=1e-12)


def test_filters_answer_as_expected(convolution):
    step = np.repeat([[0.0, 0, 1, 1]], 5, axis=0)
    assert np.array_equal(convolution.slide(step, convolution.sobel), np.full((3, 2), 4.0))
    assert not convolution.slide(step.T, convolution.sobel).any()
    for name, total in [
        ("blur", 1),
        ("brighter to the right", 0),
        ("brighter downwards", 0),
        ("sharpen", 1),
        ("emboss", 1),
    ]:
        assert convolution.kernels[name].sum() == pytest.approx(total, abs=1e-12)
    gray, weight = convolution.gray[None, None], convolution.kernels["emboss"][None, None]
    np.testing.assert_allclose(convolution.maps["emboss"], torch_conv(gray, weight, None)[0, 0], atol=1e-12)


@pytest.mark.parametrize("rows, columns", [(1, 3), (2, 0), (0, 1)])
def test_shift_is_a_roll_with_zeros(convolution, rows, columns):
    x = np.random.default_rng(0).normal(size=(2, 5, 4))
    expected = np.roll(x, (rows, columns), axis=(1, 2))
    expected[:, :rows], expected[:, :, :columns] = 0, 0
    assert np.array_equal(convolution.shift(x, rows, columns), expected)


@pytest.mark.parametrize(
    "layers", [[(3, 1, 1)] * 3, [(7, 2, 1), (3, 2, 1), (2, 1, 1)], [(3, 1, 2), (3, 3, 1), (2, 2, 2)]]
)
def test_receptive_field_is_the_least_input_that_fits(convolution, layers):
    """One output needs exactly as many pixels as it sees."""
    size = convolution.receptive_field(layers)
    for extra, fits in ((0, True), (-1, False)):
        width = size + extra
        try:
            for settings in layers:
                width = convolution.output_size(width, settings[0], settings[1], dilation=settings[2])
            assert fits and width == 1
        except ValueError:
            assert not fits


def test_equivariance_holds_inside_only(convolution):
    assert convolution.inside["stride 1, by 2"] < 1e-12 > convolution.inside["stride 2, by 2"]
    assert convolution.border["stride 1, by 2"] > 0.1 < convolution.inside["stride 2, by 1"]


def test_filter_is_found_from_a_photo(convolution):
    np.testing.assert_allclose(convolution.found, convolution.kernels["emboss"], atol=0.1)


# 9.2 pooling


# 9.3 architectures


@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 0, 1, 1), (2, 1, 1, 2), (3, 4, 2, 1)])
def test_survey_counts_a_convolution_as_loops_would(architectures, stride, padding, dilation, groups):
    conv = nn.Conv2d(4, 6, 3, stride=stride, padding=padding, dilation=dilation, groups=groups)
    (row,) = architectures.survey(nn.Sequential(conv), (4, 11, 13))
    out = conv(torch.zeros(1, 4, 11, 13))
    assert row["shape"] == out.shape[1:] and row["outputs"] == out.numel()
    assert row["multiply_adds"] == out.numel() * (4 // groups) * 9
    assert row["parameters"] == 6 * (4 // groups) * 9 + 6


def test_survey_field_matches_the_gradient(architectures):
    layers = [nn.Conv2d(1, 1, 5, stride=2, bias=False), nn.AvgPool2d(3, stride=2)]
    layers += [nn.Conv2d(1, 1, 3, dilation=2, bias=False), nn.Conv2d(1, 1, 3, bias=False)]
    model = nn.Sequential(*layers)
    x = torch.randn(1, 1, 61, 61, requires_grad=True)
    out = model(x)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    rows = torch.nonzero(x.grad[0, 0].abs().sum(dim=1))
    seen = int(rows.max() - rows.min()) + 1
    assert architectures.survey(model, (1, 61, 61))[-1]["field"] == seen


def test_survey_leaves_the_model_as_it_was(architectures):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 9, 1))
    before = model[1].running_var.clone()
    bill = architectures.survey(model.train(), (1, 5, 5))
    assert model.training and torch.equal(model[1].running_var, before)
    assert not any(module._forward_hooks for module in model.modules())
    assert [row["field"] for row in bill] == [3, 3, 3, None]
    assert architectures.total(bill, "multiply_adds") == 2 * 9 * 9 + 18


def test_survey_names_a_layer_that_it_cannot_count(architectures):
    with pytest.raises(ValueError, match="ConvTranspose2d"):
        architectures.survey(nn.Sequential(nn.ConvTranspose2d(1, 1, 3)), (1, 5, 5))


def test_lenet_has_the_usual_parameter_count(architectures):
    assert architectures.total(architectures.lenet_bill, "parameters") == 61_706
    assert architectures.total(architectures.lenet_bill, "multiply_adds") == 416_520


@pytest.mark.parametrize("name", ["AlexNet", "VGG-16", "ResNet-18", "ResNet-50"])
def test_own_network_matches_torchvision(architectures, name):
    assert architectures.differences[name] < 1e-4
    ours, theirs, weights = architectures.families[name]
    with torch.device("meta"):
        ours, theirs = ours().state_dict(), theirs().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    bill = architectures.bills[name]
    assert round(architectures.total(bill, "multiply_adds") / 1e9, 3) == weights.meta["_ops"]
    assert bill[-1]["shape"] == (1000,) and bill[-1]["field"] is None


def test_resnet_matches_torchvision_in_training_mode_with_gradients(architectures):
    torch.manual_seed(0)
    theirs = architectures.models.ResNet(architectures.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=7)
    ours = architectures.ResNet(architectures.basic, (1, 1, 1, 1), n_classes=7)
    ours.load_state_dict(theirs.state_dict())
    x, cotangent = torch.randn(2, 3, 65, 47).double(), torch.randn(2, 7).double()
    for model in (ours.double(), theirs.double()):
        (model(x) * cotangent).sum().backward()
    pairs = list(zip(ours.named_parameters(), theirs.named_parameters(), strict=True))
    for (a, p), (b, q) in pairs:
        assert a == b
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-9)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(p, q)


def test_dropout_stands_where_torchvision_has_it(architectures):
    with torch.device("meta"):
        for ours, theirs, _ in list(architectures.families.values())[:2]:
            kinds = [[type(module) for module in model().classifier] for model in (ours, theirs)]
            assert kinds[0] == kinds[1]


def test_stride_in_the_one_by_one_costs_pixels_and_saves_work(architectures):
    assert architectures.seen == {"in the 1 × 1": 0.25, "in the 3 × 3": 1.0}
    assert 3.8 < architectures.billions_2015 < 3.9


def test_alexnet_2012_has_the_known_counts(architectures):
    assert architectures.total(architectures.bill_2012, "parameters") == 60_965_224
    assert [row["outputs"] for row in architectures.bill_2012 if row["kind"] == "Conv2d"] == [
        *(290_400, 186_624, 64_896, 64_896, 43_264)
    ]


def test_only_vgg_and_alexnet_keep_their_parameters_in_linear_layers(architectures):
    shares = {name: share[0] for name, share in architectures.linear_share.items()}
    assert (
        min(shares["AlexNet"], shares["VGG-16"]) > 0.85 > 0.1 > max(shares["ResNet-18"], shares["ResNet-50"])
    )
    assert architectures.last_field == {"AlexNet": 163, "VGG-16": 196, "ResNet-18": 435, "ResNet-50": 427}


def test_one_budget_buys_the_cheapest_network_most_images(architectures):
    assert set(architectures.accuracies) == {"LeNet", "VGG", "ResNet"}
    for name, build in (("LeNet", architectures.small_lenet), ("ResNet", architectures.small_resnet)):
        cost = architectures.total(architectures.survey(build(), (1, 28, 28)), "multiply_adds")
        spent = cost * architectures.images_seen[name]
        assert 0.9 * architectures.budget < spent <= architectures.budget
    assert architectures.accuracies["LeNet"] > 0.75


# 9.4 residual_blocks


# 9.5 transfer_learning


# 9.6 convolution_backward


# benchmarks


@pytest.mark.benchmark(group="conv2d, forward, (2, 3, 12, 12) * (4, 3, 3, 3), float64")
@pytest.mark.parametrize("implementation", ["loops", "numpy", "torch, library"])
def test_small_conv2d_speed(convolution, timed, implementation):
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 3, 12, 12)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    functions = {"loops": convolution.conv2d_loops, "numpy": convolution.conv2d, "torch, library": torch_conv}
    out = timed(functions[implementation], x, weight, bias, 1, 1, flops=2 * 2 * 12 * 12 * 4 * 27)
    np.testing.assert_allclose(out, torch_conv(x, weight, bias, 1, 1), rtol=1e-10, atol=1e-12)
