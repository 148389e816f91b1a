"""Chapter 9: what the lessons computed, and how fast their kernels are."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "residual_blocks": [
        {
            "change": {
                "return F.relu(self.branch(x))\n": "return F.relu(self.branch(x) + 0.5 * x)\n",
                "DEPTHS = (6, 10, 18, 42)": "DEPTHS = (42,)",
            },
            "prints": "residual, 42 layers",
        },
        {
            "change": {"((12, 12, 1), (12, 24, 2)):": "((12, 12, 1), (12, 12, 2), (12, 24, 2)):"},
            "prints": "12 to 12 channels: 2,808 parameters, 14 × 14 -> (7, 7)",
        },
        {
            "after": "def gradient_norms(model):",
            "add": "for start in ('He', 'default'):\n"
            "    torch.manual_seed(0)\n"
            "    model = network(42, PlainBlock)\n"
            "    model[1] = nn.Identity()\n"
            "    for block in model:\n"
            "        if isinstance(block, PlainBlock):\n"
            "            block.bn1 = block.bn2 = nn.Identity()\n"
            "    if start == 'default':\n"
            "        for module in model.modules():\n"
            "            if isinstance(module, nn.Conv2d):\n"
            "                module.reset_parameters()\n"
            "    norms = gradient_norms(model)\n"
            "    print(f'{start}: {norms[1:6].mean():.1e} first, {norms[-5:].mean():.1e} last')",
            "prints": "default: ",
        },
    ],
    "resnet": [
        {
            "change": {
                '            "changes": self.changes.get_state(),\n': "",
                '        self.changes.set_state(state["changes"])\n': "",
            },
            "prints": "largest difference between the unbroken and the resumed run",
        },
        {"change": {"(1, 1, 1), (2, 2, 2)": "(7, 7, 7), (2, 2, 2)"}, "prints": "1,482,858 parameters"},
        {
            "after": "def new_network(",
            "add": "class PlainBlock(BasicBlock):\n"
            "    def __init__(self, *args):\n"
            "        super().__init__(*args)\n"
            "        self.downsample = None\n\n"
            "    def forward(self, x):\n"
            "        return F.relu(self.branch(x))\n\n\n"
            "twin = new_network(0)\n"
            "twin.stages = nn.ModuleList(nn.Sequential(PlainBlock(*shape, 2)) for shape in "
            "((16, 24), (24, 48), (48, 96)))\n"
            "n_twin = sum(parameter.numel() for parameter in twin.parameters())\n"
            "assert twin(torch.rand(2, 1, 28, 28, device=device)).shape == (2, 10)\n"
            "print(f'{n_twin:,}, {n_parameters - n_twin:,} fewer')",
            "prints": "165,978, 6,480 fewer",
        },
    ],
    "transfer_learning": [
        {"change": {"PIXELS = 64": "PIXELS = 32"}, "prints": "random [:"},
        {"change": {"penalty=0.1, n_classes": "penalty=1e-4, n_classes"}, "prints": "random [:"},
        {
            "after": "def mean_accuracy(",
            "add": "joined = [torch.cat([f[depth] for depth in DEPTHS], 1) for f in (train_features, "
            "valid_features)]\n"
            "print(f'all depths, 1000 labels {mean_accuracy(*joined, 1000):.1%}')",
            "prints": "all depths, 1000 labels",
        },
    ],
    "convolution": [
        {
            "change": {
                "np.full((3, 1, 9, 9), 1 / 81)": "np.full((3, 1, 3, 3), 1 / 9)",
                "depthwise, padding=4, groups=3)": "depthwise, padding=4, dilation=4, groups=3)",
            },
            "figure": 2,
        },
        {
            "change": {
                "layers = ((3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1))": "layers ="
                " ((3, 1, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1), (3, 1, 1))"
            },
            "prints": "rows that matter 17",
            "figure": 5,
        },
        {
            "add": "def wrapped_map(x):\n"
            "    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='wrap')\n"
            "    return conv2d(padded, sobel[None, None])[0, 0]\n\n\n"
            "around = np.roll(gray, (2, 2), axis=(0, 1))[None, None]\n"
            "gap = wrapped_map(around) - np.roll(wrapped_map(gray[None, None]), (2, 2), axis=(0, 1))\n"
            "print('largest difference at the border with wrapping:', np.abs(gap).max() < 1e-12)",
            "prints": "largest difference at the border with wrapping: True",
        },
    ],
    "architectures": [
        {
            "change": {
                "    classifier = nn.Sequential(\n        nn.Linear(n_in * 7 * 7, 4096),": "    classifier ="
                " nn.Sequential(nn.Linear(n_in, n_classes))\n    unused = nn.Sequential(\n"
                "        nn.Linear(n_in * 7 * 7, 4096),",
                "nn.Sequential(*features), 7, classifier)": "nn.Sequential(*features), 1, classifier)",
            },
            "raises": "VGG-16",
            "prints": "VGG-16                    15.2            15.3",
        },
        {"change": {"n_train = 500": "n_train = 50"}, "figure": 2},
        {
            "add": "for name, block, blocks in (\n"
            "    ('ResNet34', BasicBlock, (3, 4, 6, 3)),\n"
            "    ('ResNet152', Bottleneck, (3, 8, 36, 3)),\n"
            "):\n"
            "    with torch.device('meta'):\n"
            "        billions = total(survey(ResNet(block, blocks), (3, 224, 224)), 'multiply_adds') / 1e9\n"
            "    published = getattr(models, name + '_Weights').IMAGENET1K_V1.meta['_ops']\n"
            "    print(f'{name} {billions:.3f}, published {published:.3f}')",
            "prints": "ResNet152 11.514, published 11.514",
        },
    ],
    "pooling": [
        {
            "change": {"shrink = nn.MaxPool2d(2)": "shrink = nn.AvgPool2d(2)"},
            "prints": "moved by (pixels)",
            "figure": 2,
        },
        {
            "change": {
                "return F.pad(images, (columns, 0))[:, :, : images.shape[2]]": "return"
                " F.pad(images, (0, 0, columns, 0))[:, : images.shape[1]]"
            },
            "figure": 2,
        },
        {
            "after": "def windows_backward",
            "add": "def global_avg_pool_backward(grad_out, x_shape):\n"
            "    share = grad_out[:, :, None, None] / (x_shape[2] * x_shape[3])\n"
            "    return np.broadcast_to(share, x_shape)\n\n\n"
            "maps = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)\n"
            "arriving = torch.randn(2, 3, dtype=torch.float64)\n"
            "means = F.adaptive_avg_pool2d(maps, 1)[:, :, 0, 0]\n"
            "wanted = torch.autograd.grad(means, maps, arriving)[0]\n"
            "ours = global_avg_pool_backward(arriving.numpy(), (2, 3, 5, 4))\n"
            "print('largest difference of the global pool', np.abs(ours - wanted.numpy()).max())",
            "prints": "largest difference of the global pool",
        },
    ],
    "convolution_backward": [
        {
            "change": {
                "    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)"
                "  # (C_out, C, kh, kw) -> (C, C_out, kh, kw)\n    out =": "    flipped ="
                " weight.transpose(1, 0, 2, 3)\n    out ="
            },
            "raises": "Not equal to tolerance",
        },
        {
            "change": {
                "winners = windows.argmax(axis=4)": "winners = (3 - windows[..., ::-1].argmax(axis=4))"
            },
            "prints": "float64: loss 2.475 to 1.222, largest difference",
        },
        {
            "add": "layers, network = make_pair(torch.float32, np.random.default_rng(1))\n"
            "dataset = TensorDataset(train_images[:, None], train_labels)\n"
            "loader = DataLoader(dataset, 50, shuffle=True, generator=torch.Generator().manual_seed(1))\n"
            "optimizer = torch.optim.SGD(network.parameters(), lr=0.05)\n"
            "for step, (x, y) in enumerate([*loader, *loader]):\n"
            "    with torch.no_grad():\n"
            "        theirs = network[0](x).numpy() > 0\n"
            "    differ = np.sum(theirs != (layers[0].forward(x.numpy()) > 0))\n"
            "    gap = abs(training_step(layers, x.numpy(), y.numpy(), 0.05) - "
            "torch_step(network, optimizer, x, y))\n"
            "    if step % 10 == 0 or differ:\n"
            "        print(f'step {step}   decisions that differ {differ}   difference {gap:.1e}')",
            "prints": "decisions that differ 1",
        },
    ],
}


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


@pytest.fixture
def resnet(lesson):
    return lesson("resnet")


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


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("batch_size", [0, 1, 3])
@pytest.mark.parametrize(
    "stride, padding, dilation", [((2, 1), 0, 1), (1, (0, 3), (2, 1)), ((1, 3), (2, 1), (1, 2))]
)
def test_conv2d_takes_pairs_and_empty_batches(convolution, stride, padding, dilation, batch_size, groups):
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.normal(size=(batch_size, 4, 7, 6)),
        rng.normal(size=(6, 4 // groups, 2, 3)),
        np.ones(6),
    )
    expected = torch_conv(x, weight, bias, stride, padding, dilation, groups)
    for conv in (convolution.conv2d, convolution.conv2d_loops):
        before = x.copy(), weight.copy()
        ours = conv(x, weight, bias, stride, padding, dilation, groups)
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)
        assert np.array_equal(x, before[0]) and np.array_equal(weight, before[1])
        fortran = conv(
            np.asfortranarray(x), np.asfortranarray(weight), bias, stride, padding, dilation, groups
        )
        np.testing.assert_allclose(fortran, expected, rtol=1e-10, atol=1e-12)


def test_convolutions_keep_float32_and_take_whole_numbers(convolution):
    rng = np.random.default_rng(0)
    x, weight = rng.integers(0, 250, (2, 2, 4, 5)), rng.integers(0, 250, (3, 2, 3, 2))
    expected = torch_conv(x + 0.0, weight + 0.0, np.ones(3), 1, 1)
    for conv in (convolution.conv2d, convolution.conv2d_loops):
        for dtype, wanted in ((np.int64, np.float64), (np.uint8, np.float32), (np.float32, np.float32)):
            ours = conv(x.astype(dtype), weight.astype(dtype), np.ones(3, dtype), padding=1)
            assert ours.dtype == wanted
            np.testing.assert_allclose(ours, expected)
    for f in (convolution.filter_image, convolution.slide):
        for dtype, wanted in ((np.int64, np.float64), (np.uint8, np.float32), (np.float32, np.float32)):
            ours = f(x[0, 0].astype(dtype), weight[0, 0].astype(dtype))
            assert ours.dtype == wanted
            np.testing.assert_allclose(ours, torch_conv(x[:1, :1] + 0.0, weight[:1, :1] + 0.0, None)[0, 0])


@pytest.mark.parametrize("stride, padding, dilation", [(0, 0, 1), (-1, 0, 1), (1, -1, 1), (1, 0, 0)])
def test_output_size_refuses_wrong_settings(convolution, stride, padding, dilation):
    with pytest.raises(ValueError, match="must be 1 or more"):
        convolution.output_size(5, 3, stride, padding, dilation)
    with pytest.raises(ValueError, match="must be 1 or more"):
        convolution.conv2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), None, stride, padding, dilation)


@pytest.mark.parametrize(
    "x, weight, groups",
    [((1, 2, 5, 5), (4, 3, 3, 3), 1), ((1, 4, 5, 5), (3, 2, 3, 3), 2), ((2, 5, 5), (4, 2, 3, 3), 1)],
)
def test_conv2d_names_the_shapes(convolution, x, weight, groups):
    for conv in (convolution.conv2d, convolution.conv2d_loops):
        with pytest.raises(ValueError) as caught:
            conv(np.ones(x), np.ones(weight), groups=groups)
        assert str(x) in str(caught.value) and str(weight) in str(caught.value)
        for bias in ((1,), (7,), (4, 1)):
            with pytest.raises(ValueError, match=r"\(4, 2, 3, 3\) but the bias \("):
                conv(np.ones((1, 2, 5, 5)), np.ones((4, 2, 3, 3)), np.ones(bias))


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
    for name in ("stride 1, by 2 pixels", "stride 2, by 2 pixels"):
        assert convolution.inside[name] < 1e-12
    assert convolution.border["stride 1, by 2 pixels"] > 0.1
    assert convolution.inside["stride 2, by 1 pixel"] > 0.1


def test_filter_is_found_from_a_photo(convolution):
    np.testing.assert_allclose(convolution.learned, convolution.kernels["emboss"], atol=0.1)


# 9.2 pooling


def pool_arrays(shape, seed):
    """Without ties; with many ties; with ties at -inf; in column order."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=shape)
    tied = np.maximum(rng.integers(-2, 3, size=shape), 0).astype(float)
    return normal, tied, np.where(rng.random(shape) < 0.7, -np.inf, normal), np.asfortranarray(normal)


@pytest.mark.parametrize(
    "settings",
    [
        *((1, 1, 0), (2, 2, 0), (2, 2, 1), (3, 2, 1), (3, 1, 0), (2, 3, 1), (2, None, 0)),
        *(((2, 3), None, 0), ((3, 2), (1, 3), (1, 0)), ((1, 4), (2, 1), (0, 2)), (3, (2, 1), (0, 1))),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (3, 2, 8, 4), (0, 2, 5, 6), (2, 1, 4, 4)])
def test_pools_match_autograd(pooling, shape, settings):
    """Values and gradients; the padding never wins, not even against -inf."""
    rng = np.random.default_rng(1)
    for x in pool_arrays(shape, 0):
        for name, reference in (("max", F.max_pool2d), ("avg", F.avg_pool2d)):
            if name == "avg" and np.isinf(x).any():
                continue
            tensor = torch.tensor(x, requires_grad=True)
            expected = reference(tensor, *settings)
            cotangent = rng.normal(size=tuple(expected.shape))
            expected.backward(torch.from_numpy(cotangent))
            before = x.copy()
            if name == "max":
                out, winners = pooling.max_pool2d(x, *settings)
                grad_x = pooling.max_pool2d_backward(cotangent, winners, x.shape, *settings)
            else:
                out = pooling.avg_pool2d(x, *settings)
                grad_x = pooling.avg_pool2d_backward(cotangent, x.shape, *settings)
            np.testing.assert_allclose(out, expected.detach(), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(grad_x, tensor.grad, rtol=1e-10, atol=1e-12)
            assert np.array_equal(x, before) and not np.shares_memory(x, out)


def test_pools_keep_float32_and_take_whole_numbers(pooling):
    whole = np.random.default_rng(0).integers(0, 250, size=(2, 3, 6, 4))
    expected = (
        F.max_pool2d(torch.from_numpy(whole).double(), 2, 2, 1),
        F.avg_pool2d(torch.from_numpy(whole).double(), 2, 2, 1),
    )
    for dtype, wanted in ((np.int64, np.float64), (np.uint8, np.float64), (np.float32, np.float32)):
        x = whole.astype(dtype)
        out, winners = pooling.max_pool2d(x, 2, 2, 1)
        mean = pooling.avg_pool2d(x, 2, 2, 1)
        grads = (
            pooling.max_pool2d_backward(np.ones(out.shape, dtype), winners, x.shape, 2, 2, 1),
            pooling.avg_pool2d_backward(np.ones(out.shape, dtype), x.shape, 2, 2, 1),
        )
        assert all(v.dtype == wanted for v in (out, mean, *grads))
        np.testing.assert_allclose(out, expected[0])
        np.testing.assert_allclose(mean, expected[1], rtol=1e-6)
        assert grads[0].sum() == out.size and grads[1].sum() == pytest.approx(whole.size / 4)
        fast = pooling.max_pool_2x2(x)
        assert fast.dtype == wanted and np.array_equal(fast, pooling.max_pool2d(x, 2)[0])
        assert pooling.max_pool_2x2_backward(np.ones(fast.shape, dtype), x, fast).dtype == wanted


def test_windows_backward_is_the_transpose_of_the_windows(pooling):
    """<windows(x), G> = <x, windows_backward(G)> for every x and G."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 6, 5))
    for settings in ((2, None, 0), (3, (1, 2), (1, 0)), ((3, 2), 3, 1)):
        windows = pooling.pool_windows(x, *settings)
        grad = rng.normal(size=windows.shape)
        back = pooling.windows_backward(grad, x.shape, *settings)
        assert (windows * grad).sum() == pytest.approx((x * back).sum(), rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 2, 6, 4), (0, 1, 4, 4)])
def test_fast_pool_matches_autograd(pooling, shape):
    rng = np.random.default_rng(0)
    for x in (rng.integers(0, 3, size=shape).astype(float), *pool_arrays(shape, 1)):
        tensor = torch.tensor(x, requires_grad=True)
        expected = F.max_pool2d(tensor, 2)
        cotangent = rng.normal(size=tuple(expected.shape))
        expected.backward(torch.from_numpy(cotangent))
        out = pooling.max_pool_2x2(x)
        assert np.array_equal(out, expected.detach().numpy())
        assert np.array_equal(pooling.max_pool_2x2_backward(cotangent, x, out), tensor.grad.numpy())


def test_pools_name_the_fault(pooling):
    for pool in (pooling.max_pool2d, pooling.avg_pool2d):
        with pytest.raises(ValueError, match="padding 2 is more than half of the kernel size 3"):
            pool(np.ones((1, 1, 6, 6)), 3, 1, 2)
        with pytest.raises(
            ValueError, match=r"padding \(0, 2\) is more than half of the kernel size \(9, 3\)"
        ):
            pool(np.ones((1, 1, 9, 9)), (9, 3), 1, (0, 2))
        for shape in ((1, 1, 2, 5), (1, 1, 5, 2)):
            with pytest.raises(ValueError, match=r"no window of \(3, 3\) fits"):
                pool(np.ones(shape), 3)
    for shape in ((1, 1, 5, 4), (1, 1, 4, 5)):
        with pytest.raises(ValueError, match="must be even"):
            pooling.max_pool_2x2(np.ones(shape))
    for stride in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            pooling.out_size(5, 2, stride)


@pytest.mark.parametrize("seed", range(3))
def test_out_size_agrees_with_pytorch_or_both_refuse(pooling, seed):
    rng = np.random.default_rng(seed)
    for size, k, s, p, dilation in rng.integers([1, 1, 1, 0, 1], [16, 7, 6, 5, 5], size=(500, 5)).tolist():
        try:
            expected = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, k), None, s, p, dilation).shape[2]
        except RuntimeError:
            with pytest.raises(ValueError, match="fits"):
                pooling.out_size(size, k, s, p, dilation)
        else:
            assert pooling.out_size(size, k, s, p, dilation) == expected
        for ceil_mode in (False, True):
            p %= k // 2 + 1
            try:
                expected = F.max_pool2d(torch.zeros(1, 1, size, size), k, s, p, 1, ceil_mode).shape[3]
            except RuntimeError:
                with pytest.raises(ValueError, match="fits"):
                    pooling.out_size(size, k, s, p, 1, ceil_mode)
            else:
                assert pooling.out_size(size, k, s, p, 1, ceil_mode) == expected


def test_shape_after_knows_uneven_layers(pooling):
    layer = nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 3))
    assert pooling.shape_after(layer, (3, 11, 13)) == tuple(layer(torch.zeros(1, 3, 11, 13)).shape[1:])
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    assert pooling.shape_after(pool, (4, 8, 11)) == tuple(pool(torch.zeros(1, 4, 8, 11)).shape[1:])
    assert pooling.predicted == pooling.reported and len(pooling.reported) == len(pooling.features)


def test_pooling_forgives_small_shifts(pooling):
    assert pooling.changes["max, 4×4"] < pooling.changes["max, 2×2"] < pooling.changes["no pool"]
    images = torch.arange(6.0).reshape(1, 2, 3)
    assert pooling.shift(images, 1).tolist() == [[[0, 0, 1], [0, 3, 4]]]
    assert pooling.still.shape == (1000, 4, 28, 28) and not pooling.still.lt(0).any()


def test_accuracy_is_the_share_of_right_names(pooling):
    always_zero = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    nn.init.zeros_(always_zero[1].weight)
    with torch.no_grad():
        always_zero[1].bias.copy_(torch.tensor([1.0, 0.0]))
    assert pooling.accuracy(always_zero, pooling.test_images[:4], torch.tensor([0, 1, 1, 1])) == 0.25


def test_each_network_gets_its_best_rate(pooling):
    assert list(pooling.tried) == list(pooling.networks) and len(pooling.networks) == 5
    for name, values in pooling.tried.items():
        assert pooling.best_rate[name] == pooling.rates[int(np.argmax(values))] and max(values) > 0.75
        assert 0 < np.argmax(values) < len(pooling.rates) - 1


def test_training_lowers_the_loss(pooling):
    """Also with a batch size that does not divide the images: the rate never gets below zero."""
    torch.manual_seed(0)
    model = pooling.mlp(11)
    inputs, labels = pooling.inputs[:200], pooling.train_labels[:200]
    losses = [pooling.train(model, inputs, labels, 0, 8e-3, n_epochs=2, batch_size=30) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2] and 0 < losses[2] < 1


def test_what_is_equal_is_said_right(pooling):
    """Parameters and work of every network, the work counted by convolving ones."""
    for name, build in pooling.networks.items():
        model = build()
        assert pooling.n_parameters[name] == sum(p.numel() for p in model.parameters())
        for p in model.parameters():
            nn.init.constant_(p, 1.0 if p.ndim > 1 else 0.0)
        work, x = 0.0, torch.ones(1, 1, 28, 28)
        for layer in model:  # a weight that meets padding is counted too, hence the unpadded sum is smaller
            if isinstance(layer, nn.Conv2d | nn.Linear):
                ones = torch.ones_like(x)
                work += layer(ones).sum().item()
            x = layer(x)
        assert 0.9 * pooling.multiply_adds[name] < work <= pooling.multiply_adds[name]


def test_pooled_network_leads_on_still_images_and_more_on_moved_ones(pooling):
    means = {name: rows.mean(axis=0) for name, rows in pooling.accuracies.items()}
    assert all(rows.shape == (3, 6) for rows in pooling.accuracies.values())
    assert all(mean[0] > 0.7 for mean in means.values()) and means["pooled CNN"][0] > 0.8
    assert means["pooled CNN"][0] > max(means["narrow MLP"][0], means["wide MLP"][0])
    for name, mean in means.items():
        assert name == "pooled CNN" or means["pooled CNN"][2] > mean[2] + 0.05
        assert mean[5] < mean[0] / 2


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
    build = (architectures.our_builders | architectures.our_resnets)[name]
    with torch.device("meta"):
        ours, theirs = build().state_dict(), architectures.torchvision_builders[name]().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    bill = architectures.bills[name]
    published = architectures.weights_of[name].meta["_ops"]
    assert round(architectures.total(bill, "multiply_adds") / 1e9, 3) == published
    assert bill[-1]["shape"] == (1000,) and bill[-1]["field"] is None


def test_resnet_matches_torchvision_in_training_mode_with_gradients(architectures):
    torch.manual_seed(0)
    theirs = architectures.models.ResNet(architectures.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=7)
    ours = architectures.ResNet(architectures.BasicBlock, (1, 1, 1, 1), n_classes=7)
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
        for name, build in architectures.our_builders.items():
            models = build(), architectures.torchvision_builders[name]()
            ours, theirs = ([type(module) for module in model.classifier] for model in models)
            assert ours == theirs


def test_stride_in_the_one_by_one_costs_pixels_and_saves_work(architectures):
    assert architectures.share_seen == {"in the 1 × 1": 0.25, "in the 3 × 3": 1.0}
    assert 3.8 < architectures.billions_2015 < 3.9


def test_alexnet_2012_has_the_known_counts(architectures):
    assert architectures.total(architectures.bill_2012, "parameters") == 60_965_224
    assert [row["outputs"] for row in architectures.bill_2012 if row["kind"] == "Conv2d"] == [
        *(290_400, 186_624, 64_896, 64_896, 43_264)
    ]


def test_only_vgg_and_alexnet_keep_their_parameters_in_linear_layers(architectures):
    shares = {name: share["parameters"] for name, share in architectures.linear_share.items()}
    assert min(shares["AlexNet"], shares["VGG-16"]) > 0.85
    assert max(shares["ResNet-18"], shares["ResNet-50"]) < 0.1
    assert architectures.last_field == {"AlexNet": 163, "VGG-16": 196, "ResNet-18": 435, "ResNet-50": 427}


def test_memory_is_spent_early_and_parameters_late(architectures):
    """The numbers of layers are in the networks' names; the maps as counted in other papers, in millions."""
    layers = {name: len(rows) for name, rows in architectures.multiplying.items()}
    assert layers == {"AlexNet": 8, "VGG-16": 16, "ResNet-18": 18, "ResNet-50": 50}
    for shares in architectures.first_half.values():
        assert shares["outputs"] > 0.75 and shares["parameters"] < 0.15
    millions = {name: cost["memory of maps (MB)"] / 4 for name, cost in architectures.costs.items()}
    assert millions == pytest.approx(
        {"AlexNet": 0.49, "VGG-16": 13.6, "ResNet-18": 2.48, "ResNet-50": 11.1}, rel=0.01
    )


def test_largest_difference_sees_a_wrong_order(architectures):
    """Two layers with equal shapes that have changed places, which no count can see."""
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 1))
    ours = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Conv2d(3, 3, 1))
    x = torch.rand(1, 3, 6, 6)
    assert architectures.largest_difference(ours, theirs, x) > 0.01
    assert architectures.largest_difference(copy.deepcopy(theirs), theirs, x) == 0


@pytest.mark.parametrize(
    "name", ["all four", "tanh for ReLU", "no batch norm", "no dropout", "no augmentation"]
)
def test_each_recipe_takes_out_what_it_says(architectures, name):
    recipe = {k: v for k, v in architectures.recipes[name].items() if k != "augment"}
    model = architectures.small_network(**recipe)
    kinds = {type(module) for module in model}
    assert (nn.ReLU in kinds) == (name != "tanh for ReLU") and (nn.Tanh in kinds) == (name == "tanh for ReLU")
    assert (nn.BatchNorm2d in kinds) == (name != "no batch norm")
    assert {m.p for m in model if isinstance(m, nn.Dropout)} == {0.0 if name == "no dropout" else 0.3}
    assert ("augment" in architectures.recipes[name]) == (name == "no augmentation")
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_augmented_images_are_the_old_ones_moved_or_mirrored(architectures):
    x = torch.zeros(40, 1, 28, 28)
    x[:, :, 10:14, 5:9] = torch.rand(40, 1, 4, 4) + 1
    out = architectures.augmented(x, torch.Generator().manual_seed(0))
    assert out.shape == x.shape and not torch.equal(out, x)
    old, new = (v.flatten(1).sort(dim=1).values for v in (x, out))
    torch.testing.assert_close(old, new)
    mirrored = out[:, 0, :, 14:].sum(dim=(1, 2)) > out[:, 0, :, :14].sum(dim=(1, 2))
    assert 5 < int(mirrored.sum()) < 35


def test_ablation_results(architectures):
    assert list(architectures.tested) == list(architectures.recipes)
    for name, scores in architectures.tested.items():
        assert scores.shape == (3,) and scores.min() > 0.6
        assert len(architectures.tried[name]) == len(architectures.rates)
    assert all(architectures.tested["no batch norm"] < architectures.tested["all four"])
    lost = {
        name: architectures.tested[name].mean() - v.mean() for name, v in architectures.tested_moved.items()
    }
    assert max(lost, key=lost.get) == "no augmentation" and sorted(lost.values())[-2] < 0.05
    assert architectures.fitted["no augmentation"].mean() > architectures.fitted["all four"].mean() + 0.1


# 9.4 residual_blocks


@pytest.mark.parametrize(
    "shape, stride", [((1, 3, 1, 1), 1), ((2, 5, 7, 3), 2), ((1, 4, 8, 8), 2), ((3, 7, 2, 5), 3)]
)
def test_blocks_match_torchvision(residual_blocks, shape, stride):
    m = residual_blocks
    torch.manual_seed(0)
    n_in = shape[1]
    for ours, theirs, n_out in (
        (m.BasicBlock, m.resnet.BasicBlock, n_in),
        (m.BasicBlock, m.resnet.BasicBlock, n_in + 2),
        (m.Bottleneck, m.resnet.Bottleneck, 12),
        (m.Bottleneck, m.resnet.Bottleneck, 4 * n_in),
    ):
        width = n_out // theirs.expansion
        library = theirs(n_in, width, stride, m.projection(n_in, n_out, stride)).double().eval()
        for tensor in [*library.parameters(), *library.buffers()]:
            if tensor.is_floating_point():
                nn.init.uniform_(tensor, 0.5, 1.5)
        mine = ours(n_in, width, stride).double().eval()
        mine.load_state_dict(library.state_dict())
        x = torch.randn(shape, dtype=torch.float64)
        before = x.clone()
        torch.testing.assert_close(mine(x), library(x), rtol=1e-10, atol=1e-12)
        assert torch.equal(x, before)


def test_plain_block_is_the_residual_one_without_its_shortcut(residual_blocks):
    torch.manual_seed(0)
    plain = residual_blocks.PlainBlock(3, 3).eval()
    residual = residual_blocks.BasicBlock(3, 3).eval()
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4, 4)
    branch = residual.bn2(residual.conv2(F.relu(residual.bn1(residual.conv1(x)))))
    torch.testing.assert_close(plain(x), F.relu(branch))
    torch.testing.assert_close(residual(x), F.relu(branch + x))
    assert not torch.allclose(F.relu(branch), F.relu(branch + x))


def test_network_has_the_depth_that_it_says(residual_blocks):
    for depth in residual_blocks.DEPTHS:
        sizes = set()
        for block_class in residual_blocks.KINDS.values():
            model = residual_blocks.network(depth, block_class)
            weights = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
            assert len(weights) == depth
            blocks = [m for m in model if isinstance(m, residual_blocks.BasicBlock)]
            assert all(type(block) is block_class and block.downsample is None for block in blocks)
            sizes.add(residual_blocks.count(model))
        assert len(sizes) == 1


def test_depth_hurts_plain_networks_only(residual_blocks):
    table = residual_blocks.table
    for values in table.values():
        assert len(values) == 3 and np.all(np.isfinite(values))
    assert table["plain", 42].mean() > table["plain", 10].mean() + 0.3
    for depth in residual_blocks.DEPTHS:
        assert table["residual", depth].mean() < table["plain", depth].mean()
    assert table["plain", 6].mean() < 1.4  # the shallow one does learn


def test_training_lowers_the_loss_and_repeats(residual_blocks, monkeypatch):
    monkeypatch.setattr(residual_blocks, "N_STEPS", 3)
    curves = []
    for _ in range(2):
        torch.manual_seed(0)
        curves.append(residual_blocks.train(residual_blocks.network(6, residual_blocks.BasicBlock), 0.06, 0))
    assert curves[0] == curves[1] and len(curves[0]) == 3
    long_curve = residual_blocks.curves[residual_blocks.best_key("residual", 6, 0)]
    assert np.mean(long_curve[-30:]) < 0.7 * np.mean(long_curve[:5])


def test_gradient_norms_leave_the_model_as_it_was(residual_blocks):
    model = residual_blocks.network(6, residual_blocks.BasicBlock)
    before = copy.deepcopy(model.state_dict())
    norms = residual_blocks.gradient_norms(model)
    assert norms.shape == (5,) and all(p.grad is None for p in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    F.cross_entropy(model(residual_blocks.inputs[:64]), residual_blocks.train_labels[:64]).backward()
    assert norms[0] == pytest.approx(model[0].weight.grad.norm().item(), rel=1e-4)
    torch.testing.assert_close(norms, residual_blocks.gradient_norms(model))  # old gradients do not add up


def test_one_block_less_hurts_the_plain_network_more(residual_blocks):
    lost = residual_blocks.shares_lost
    for seed in residual_blocks.SEEDS:
        assert len(lost["plain", seed]) == len(lost["residual", seed]) == 8
        assert np.median(lost["residual", seed]) < np.median(lost["plain", seed])


def test_accuracy_without_takes_out_that_module_and_changes_nothing(residual_blocks):
    torch.manual_seed(0)
    model = residual_blocks.network(6, residual_blocks.BasicBlock)
    before = copy.deepcopy(model.state_dict())
    found = residual_blocks.accuracy_without(model, 3)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    shorter = nn.Sequential(*model[:3], *model[4:])
    scores = shorter(residual_blocks.inputs[:500])
    expected = (scores.argmax(dim=1) == residual_blocks.train_labels[:500]).double().mean().item()
    assert found == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padded_shortcut_keeps_pixels_and_adds_zeros(residual_blocks, stride):
    x = torch.randn(2, 3, 7, 5)
    out = residual_blocks.padded_shortcut(x, 5, stride)
    torch.testing.assert_close(out[:, :3], x[:, :, ::stride, ::stride])
    assert out.shape[1] == 5 and not out[:, 3:].any()
    with pytest.raises(ValueError, match="2 channels"):
        residual_blocks.padded_shortcut(x, 2, stride)


def test_zeroed_last_norms_make_every_block_the_identity(residual_blocks):
    model = residual_blocks.network(10, residual_blocks.BasicBlock)
    residual_blocks.zero_last_norms(model)
    x = torch.rand(2, 12, 5, 5)
    blocks = [layer for layer in model if isinstance(layer, residual_blocks.BasicBlock)]
    assert len(blocks) == 4 and all(torch.equal(block(x), x) for block in blocks)
    assert residual_blocks.n_awake == [0, 20]


# 9.5 transfer_learning


def test_photos_match_their_references(transfer_learning):
    m = transfer_learning
    references = {
        "coffee": ("espresso", 0.974),
        "chelsea": ("Egyptian cat", 0.46),
        "rocket": ("missile", 0.16),
    }
    for name, (category, expected) in references.items():
        assert abs(m.probabilities[name][m.categories.index(category)].item() - expected) < 0.02
        torch.testing.assert_close(m.probabilities[name].sum(), torch.tensor(1.0))


def test_wrong_preprocessing_keeps_the_answer_and_fails_the_reference(transfer_learning):
    m = transfer_learning
    assert len(m.wrongly) == len(m.espresso_probability) == 5
    for name, x in m.wrongly.items():
        with torch.no_grad():
            out = m.net(x[None].to(m.device))[0].softmax(dim=0).cpu()
        assert out.argmax() == m.espresso
        assert (abs(out[m.espresso].item() - 0.974) < 0.02) == (name == "correct")
    assert 0 <= m.unit.min() < m.unit.max() <= 1.001


@pytest.mark.parametrize("size", [35, 64])
def test_features_match_the_network_cut_by_hand(transfer_learning, size):
    m = transfer_learning
    images = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    x = F.interpolate(images[:, None], size=(size, size), mode="bilinear").expand(-1, 3, -1, -1)
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    found = m.features_at(m.net, images, (6, 13), size)
    assert set(found) == {6, 13} and torch.equal(images, before)
    with torch.no_grad():
        for depth, values in found.items():
            maps = m.net.features[:depth](x.clone().to(m.device)).cpu()
            torch.testing.assert_close(
                values, F.adaptive_avg_pool2d(maps, 2).flatten(1), rtol=1e-3, atol=1e-3
            )
    if size == 64:
        for depth in m.DEPTHS:
            again = m.features_at(m.net, m.test_images[:3])[depth]
            torch.testing.assert_close(again, m.test_features[depth][:3], rtol=1e-3, atol=1e-3)


def test_maps_and_last_blocks_give_the_features(transfer_learning):
    m = transfer_learning
    maps = m.maps_of(m.test_images[:5])
    torch.testing.assert_close(maps, m.test_maps[:5], rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        features = F.adaptive_avg_pool2d(m.last_blocks(maps.to(m.device)), 2).flatten(1).cpu()
    torch.testing.assert_close(features, m.test_features[m.best_depth][:5], rtol=1e-3, atol=1e-3)


def test_fitted_head_is_the_minimum_of_its_penalized_loss(transfer_learning):
    torch.manual_seed(0)
    features = torch.randn(40, 5) * torch.tensor([1.0, 10, 0.1, 3, 1]) + 2
    labels = torch.randint(3, (40,))
    before = features.clone()
    head = transfer_learning.fit_head(features, labels, penalty=0.1, n_classes=3)
    assert torch.equal(features, before)
    spread = features.std(dim=0) + 1e-3
    weight = head.weight.detach().requires_grad_()
    loss = F.cross_entropy(features @ weight.T + head.bias, labels)
    (loss + 0.05 * (weight * spread).square().sum()).backward()
    assert (weight.grad / spread).abs().max() < 1e-3
    assert (weight * spread).abs().max() > 0.01
    double = transfer_learning.fit_head(features.double(), labels, penalty=0.1, n_classes=3)
    assert double.weight.dtype == torch.float64
    torch.testing.assert_close(double.weight.float(), head.weight, rtol=1e-2, atol=1e-2)


def test_head_names_both_lengths(transfer_learning):
    with pytest.raises(ValueError, match="4, 2"):
        transfer_learning.fit_head(torch.zeros(4, 2), torch.zeros(3, dtype=torch.int64))


def test_share_right_and_accuracy_count(transfer_learning):
    m = transfer_learning
    scores = torch.eye(10)[[0, 1, 2, 3]]
    assert m.share_right(scores, torch.tensor([0, 1, 2, 4])) == 0.75
    model = nn.Sequential(nn.Dropout(0.9), nn.Identity()).train()
    inputs = torch.eye(10).repeat(45, 1)  # more than two batches of 200
    assert m.accuracy(model, inputs, torch.arange(10).repeat(45)) == 1.0
    assert m.accuracy(model, inputs, torch.arange(1, 11).repeat(45) % 10) == 0.0


def test_rate_rises_and_falls_in_straight_lines(transfer_learning):
    shares = [transfer_learning.ramp(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.1) and int(np.argmax(shares)) == 9
    assert shares[-1] == pytest.approx(0.01) and np.all(np.diff(shares[9:]) < 0)


def test_tuning_moves_each_part_at_its_own_rate(transfer_learning):
    m = transfer_learning
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Conv2d(2, 3, 1)).requires_grad_(False)
    model = m.with_head(blocks, nn.Linear(12, 10))
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in blocks.parameters())
    before = copy.deepcopy(model.state_dict())
    inputs, labels = torch.randn(10, 2, 4, 4), torch.arange(10)
    # one step, in which the ramp is at 1: AdamW's first step has the length of its rate
    m.tune(model, [(model.blocks, 1e-4), (model.head, 1e-2)], inputs, labels, n_epochs=1, seed=0)
    moved = {k: (v.cpu() - before[k]).abs().max().item() for k, v in model.state_dict().items()}
    assert moved["blocks.0.weight"] == pytest.approx(1e-4, rel=0.05)
    assert moved["head.weight"] == pytest.approx(1e-2, rel=0.05)
    assert not model.training
    torch.testing.assert_close(blocks[0].weight, before["blocks.0.weight"])


def test_tuning_leaves_out_what_is_not_in_a_group(transfer_learning):
    m = transfer_learning
    torch.manual_seed(0)
    model = m.with_head(nn.Sequential(nn.Conv2d(2, 3, 1)), nn.Linear(12, 10))
    before = model.blocks[0].weight.detach().clone()
    m.tune(model, [(model.head, 1e-2)], torch.randn(40, 2, 4, 4), torch.arange(40) % 10, n_epochs=3, seed=0)
    torch.testing.assert_close(model.blocks[0].weight.cpu(), before, rtol=0, atol=0)


def test_noise_stays_in_range_and_leaves_the_images(transfer_learning):
    images = torch.full((2, 50, 50), 0.5)
    noisy = transfer_learning.add_noise(images, 3)
    assert torch.all(images == 0.5) and torch.equal(noisy, transfer_learning.add_noise(images, 3))
    assert noisy.min() == 0 and noisy.max() == 1
    assert (
        0.25 < (noisy == 0).float().mean() + (noisy == 1).float().mean() < 0.4
    )  # beyond one deviation: 32 %


def test_training_sets_share_no_image(transfer_learning):
    m = transfer_learning
    whole = [list(range(3000))[m.labelled(seed, 1000)] for seed in m.SEEDS]
    assert sorted(sum(whole, [])) == list(range(3000)) and m.labelled(2, 100) == slice(2000, 2100)
    assert len(m.train_images) == len(m.train_labels) == 3000
    assert torch.equal(m.valid_images, m.all_images[4000:])


def test_tuning_pays_on_noisy_images_only(transfer_learning):
    m = transfer_learning
    means = {key: np.mean(values) for key, values in m.by_labels.items()}
    assert all(len(values) == len(m.SEEDS) == 3 for values in (*m.by_labels.values(), m.hasty))
    for n in m.SIZES:
        assert abs(means["tuned", n] - means["frozen", n]) < 0.02
        assert means["from scratch", n] < means["frozen", n]
    assert np.mean(m.hasty) < means["frozen", 100] - 0.03
    assert np.mean(m.by_noise["frozen"]) < np.mean(m.by_noise["tuned"]) < np.mean(m.by_noise["from scratch"])
    assert np.mean(m.by_noise["frozen"]) > 0.4  # all of them have learned something


def test_frozen_weights_have_not_moved_and_tuned_ones_have(transfer_learning):
    m = transfer_learning
    fresh = m.pretrained().state_dict()
    for name, tensor in m.net.state_dict().items():
        assert torch.equal(tensor.cpu(), fresh[name])
    assert not any(parameter.requires_grad for parameter in m.net.parameters())
    assert m.statistics_moved["train"] > 0 == m.statistics_moved["eval"]
    assert max(m.average_movement.values()) > 0.05


# 9.6 convolution_backward


def autograd_conv(x, weight, bias, cotangent, stride, padding):
    """Output and gradients of F.conv2d for a float64 cotangent of the output."""
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    out = F.conv2d(*tensors, stride, padding)
    return [
        v.detach().numpy() for v in (out, *torch.autograd.grad(out, tensors, torch.from_numpy(cotangent)))
    ]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, (1, 2), (3, 1)])
@pytest.mark.parametrize("padding", [0, 1, 2, (0, 3), (2, 1)])
@pytest.mark.parametrize(
    "shape, kernel_size",
    [((1, 1, 5, 7), (3, 2)), ((3, 4, 6, 6), (1, 5)), ((2, 3, 9, 4), (2, 1)), ((0, 2, 5, 5), (3, 3))],
)
def test_column_convolution_matches_autograd(convolution_backward, shape, kernel_size, stride, padding):
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=shape), rng.normal(size=(5, shape[1], *kernel_size)), rng.normal(size=5)
    out = convolution_backward.conv2d(x, weight, bias, stride, padding)
    cotangent = rng.normal(size=out.shape)
    before = [v.copy() for v in (cotangent, x, weight)]
    grads = convolution_backward.conv2d_backward(cotangent, x, weight, stride, padding)
    expected = autograd_conv(x, weight, bias, cotangent, stride, padding)
    for ours, theirs in zip((out, *grads), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)
    for array, copied in zip((cotangent, x, weight), before, strict=True):
        assert np.array_equal(array, copied) and not any(np.shares_memory(array, v) for v in (out, *grads))
    without_bias = convolution_backward.conv2d(x, weight, None, stride, padding)
    np.testing.assert_allclose(without_bias, out - bias[:, None, None], rtol=1e-10, atol=1e-11)


def test_column_convolution_keeps_float32_and_takes_whole_numbers_and_column_order(convolution_backward):
    m = convolution_backward
    rng = np.random.default_rng(0)
    x, weight, bias = rng.integers(-9, 9, (2, 3, 5, 4)), rng.integers(-9, 9, (4, 3, 2, 3)), np.arange(4)
    out = m.conv2d(x, weight, bias, 2, 1)
    cotangent = rng.integers(-9, 9, out.shape)
    small = m.conv2d(*(np.abs(v).astype(np.uint8) for v in (x * 20, weight * 20, bias)), 2, 1)
    expected = autograd_conv(*(v.astype(float) for v in (x, weight, bias, cotangent)), 2, 1)
    for convert in (lambda v: v, lambda v: np.asfortranarray(v, dtype=float), lambda v: v.astype(np.float32)):
        x_, weight_, bias_, c = (convert(v) for v in (x, weight, bias, cotangent))
        found = m.conv2d(x_, weight_, bias_, 2, 1), *m.conv2d_backward(c, x_, weight_, 2, 1)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == (np.float32 if x_.dtype == np.float32 else np.float64)
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    arrays = [torch.from_numpy(np.abs(v).astype(np.uint8)).double() for v in (x * 20, weight * 20, bias)]
    np.testing.assert_array_equal(small, F.conv2d(*arrays, 2, 1))


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 1), ((2, 3), (1, 0))])
def test_columns_backward_is_the_transpose_of_columns(convolution_backward, stride, padding):
    """<columns(x), T> = <x, columns_backward(T)> for every x and T."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 6, 5))
    patches = convolution_backward.columns(x, (3, 2), stride, padding)
    table = rng.normal(size=patches.shape)
    back = convolution_backward.columns_backward(table, x.shape, (3, 2), stride, padding)
    assert (patches * table).sum() == pytest.approx((x * back).sum(), rel=1e-12)
    square = convolution_backward.columns(x, 2)
    assert np.array_equal(square, convolution_backward.columns(x, (2, 2)))


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 0), (2, 1), (3, 1), ((1, 2), (2, 0)), ((4, 3), 0)])
@pytest.mark.parametrize("batch_size", [2, 1, 0])
def test_transposed_convolution_matches_pytorch(convolution_backward, batch_size, stride, padding):
    rng = np.random.default_rng(0)
    grad, weight = rng.normal(size=(batch_size, 5, 4, 3)), rng.normal(size=(5, 3, 3, 4))
    ours = convolution_backward.transposed_conv2d(grad, weight, stride, padding)
    theirs = F.conv_transpose2d(torch.from_numpy(grad), torch.from_numpy(weight), None, stride, padding)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    whole = (10 * grad).astype(int)
    ours = convolution_backward.transposed_conv2d(whole, weight, stride, padding)
    theirs = F.conv_transpose2d(
        torch.from_numpy(whole).double(), torch.from_numpy(weight), None, stride, padding
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    assert convolution_backward.transposed_conv2d(*(v.astype("f4") for v in (grad, weight))).dtype == "f4"


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 1)])
def test_transposed_convolution_is_the_gradient_of_the_pixels_that_were_reached(convolution_backward, stride):
    """With leftover rows the transposed convolution ends where the filter's last place did."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 9, 8)), rng.normal(size=(4, 3, 3, 2))
    grad = rng.normal(size=convolution_backward.conv2d(x, weight, stride=stride).shape)
    wanted, _, _ = convolution_backward.conv2d_backward(grad, x, weight, stride)
    ours = convolution_backward.transposed_conv2d(grad, weight, stride)
    height, width = ours.shape[2:]
    np.testing.assert_allclose(ours, wanted[:, :, :height, :width], rtol=1e-10, atol=1e-12)
    assert not wanted[:, :, height:].any() and not wanted[:, :, :, width:].any()


@pytest.mark.parametrize("padding", [0, 1, (0, 0), (2, 0), (0, 1)])
@pytest.mark.parametrize("batch_size, channels, filters", [(1, 1, 1), (3, 4, 5), (0, 2, 3)])
def test_channels_last_matches_autograd(convolution_backward, batch_size, channels, filters, padding):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(batch_size, channels, 5, 7)), rng.normal(size=(filters, channels, 3, 2))
    last = x.transpose(0, 2, 3, 1)
    out = convolution_backward.conv2d_last(last, weight, padding)
    cotangent = rng.normal(size=out.shape)
    grad_x, grad_weight, grad_bias = convolution_backward.conv2d_last_backward(
        cotangent, last, weight, padding
    )
    expected = autograd_conv(x, weight, np.zeros(filters), cotangent.transpose(0, 3, 1, 2), 1, padding)
    found = out.transpose(0, 3, 1, 2), grad_x.transpose(0, 3, 1, 2), grad_weight, grad_bias
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)


def test_channels_last_keeps_float32_and_takes_whole_numbers_and_column_order(convolution_backward):
    m = convolution_backward
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-9, 9, (2, 5, 4, 3)), rng.integers(-9, 9, (4, 3, 2, 3))
    c = rng.integers(-9, 9, m.conv2d_last(x, weight, 1).shape)
    expected = (
        m.conv2d_last(x + 0.0, weight + 0.0, 1),
        *m.conv2d_last_backward(c + 0.0, x + 0.0, weight + 0.0, 1),
    )
    for convert in (lambda v: v, lambda v: np.asfortranarray(v, dtype=float), lambda v: v.astype(np.float32)):
        x_, weight_, c_ = (convert(v) for v in (x, weight, c))
        found = m.conv2d_last(x_, weight_, 1), *m.conv2d_last_backward(c_, x_, weight_, 1)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == (np.float32 if x_.dtype == np.float32 else np.float64)
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        m.conv2d_last(x, weight / 2, 1), expected[0] / 2, rtol=1e-12
    )  # whole and float


def test_backward_convolutions_name_the_shapes(convolution_backward):
    m = convolution_backward
    x, weight = np.ones((1, 2, 5, 5)), np.ones((4, 3, 3, 3))
    for wrong in (x, x[0]):
        with pytest.raises(ValueError, match=r"2, 5, 5\).*\(4, 3, 3, 3\)"):
            m.conv2d(wrong, weight)
        with pytest.raises(ValueError, match=r"2, 5, 5\).*\(4, 3, 3, 3\)"):
            m.conv2d_last(wrong, weight)
    with pytest.raises(ValueError, match=r"\(4, 2, 3, 3\).*\(3,\)"):
        m.conv2d(x, weight[:, :2], np.ones(3))
    with pytest.raises(ValueError, match=r"\(3, 3\) does not fit .*\(1, 3, 2, 7\)"):
        m.conv2d(np.ones((1, 3, 2, 7)), weight)
    with pytest.raises(ValueError, match=r"\(3, 3\) does not fit .*\(1, 7, 2, 3\)"):
        m.conv2d_last(np.ones((1, 7, 2, 3)), weight)
    with pytest.raises(ValueError, match=r"\(1, 4, 3, 3\).*\(1, 4, 5, 5\)"):
        m.conv2d_backward(np.ones((1, 4, 3, 3)), np.ones((1, 3, 5, 5)), weight, padding=1)
    with pytest.raises(ValueError, match=r"\(1, 5, 5, 5\).*\(4, 3, 3, 3\)|\(1, 5, .*\(3, 4, 3, 3\)"):
        m.transposed_conv2d(np.ones((1, 5, 5, 5)), weight)
    with pytest.raises(ValueError, match="leaves nothing"):
        m.transposed_conv2d(np.ones((1, 4, 1, 1)), weight, padding=2)
    for padding in ((3, 0), (0, 3)):
        with pytest.raises(ValueError, match="smaller than the filter"):
            m.conv2d_last_backward(np.ones((1, 5, 5, 4)), np.ones((1, 5, 5, 3)), weight, padding)


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 2, 3, 3), (2, 1, 5, 4), (1, 1, 1, 1), (0, 2, 4, 4)])
def test_pool_layer_matches_autograd_on_odd_maps_too(convolution_backward, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, size=shape).astype(float)  # many ties
    x[rng.random(shape) < 0.3] = -np.inf
    if min(shape[2:]) < 2:
        layer = convolution_backward.MaxPool2()
        assert layer.forward(x).shape == (1, 1, 0, 0)
        assert np.array_equal(layer.backward(np.zeros((1, 1, 0, 0))), np.zeros(shape))
        return
    tensor = torch.tensor(x, requires_grad=True)
    expected = F.max_pool2d(tensor, 2)
    cotangent = rng.normal(size=tuple(expected.shape))
    expected.backward(torch.from_numpy(cotangent))
    layer = convolution_backward.MaxPool2()
    assert np.array_equal(layer.forward(x), expected.detach().numpy())
    assert np.array_equal(layer.backward(cotangent), tensor.grad.numpy())
    whole = np.nan_to_num(x, neginf=-9).astype(int)
    assert np.array_equal(layer.forward(whole), F.max_pool2d(torch.from_numpy(whole), 2).numpy())


def test_relu_layer_stays_finite(convolution_backward):
    x = np.array([-np.inf, -1.0, 0.0, 2.0, np.inf])
    layer = convolution_backward.ReLU()
    assert layer.forward(x).tolist() == [0, 0, 0, 2, np.inf]
    assert layer.backward(np.full(5, 3.0)).tolist() == [0, 0, 0, 3, 3]


def test_layers_match_autograd(convolution_backward):
    """The whole network, ties of the pool after ReLU included, against a random labelling."""
    rng = np.random.default_rng(5)
    layers, network = convolution_backward.make_pair(torch.float64, rng)
    x, y = torch.from_numpy(rng.normal(size=(3, 1, 28, 28))).relu(), torch.tensor([9, 0, 4])
    x[:, :, :14] = 0  # equal pixels give equal maps: ties
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    ours = convolution_backward.training_step(layers, x.numpy(), y.numpy(), 0.0)
    assert ours == pytest.approx(loss.item(), rel=1e-12)
    grads = [g for layer in layers if hasattr(layer, "weight") for g in (layer.grad_weight, layer.grad_bias)]
    for ours, theirs in zip(grads, network.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-9, atol=1e-12)


def test_layer_scale_is_that_of_he(convolution_backward):
    rng = np.random.default_rng(0)
    assert convolution_backward.Conv2d(64, 64, 3, rng).weight.var() == pytest.approx(2 / (64 * 9), rel=0.05)
    assert convolution_backward.Linear(500, 100, rng).weight.var() == pytest.approx(1 / 500, rel=0.05)


def test_training_step_survives_large_logits(convolution_backward):
    rng = np.random.default_rng(0)
    layer, x, y = convolution_backward.Linear(3, 4, rng), rng.normal(size=(5, 3)), rng.integers(4, size=5)
    layer.weight *= 1e4
    weight, bias = (torch.tensor(array, requires_grad=True) for array in (layer.weight, layer.bias))
    loss = F.cross_entropy(torch.from_numpy(x) @ weight.T + bias, torch.from_numpy(y))  # (5, 3) @ (3, 4)
    loss.backward()
    assert convolution_backward.training_step([layer], x, y, 0.5) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(layer.weight, (weight - 0.5 * weight.grad).detach(), rtol=1e-12)
    np.testing.assert_allclose(layer.bias, -0.5 * bias.grad, rtol=1e-10, atol=1e-12)


def test_numpy_network_trains_as_pytorch_does(convolution_backward):
    lesson = convolution_backward
    difference = np.abs(lesson.losses - lesson.torch_losses)
    assert difference[:50].max() < 1e-5 < difference.max()
    assert len(lesson.losses) == len(lesson.torch_losses) == 300
    assert abs(lesson.accuracy - lesson.torch_accuracy) <= 0.01 and lesson.accuracy > 0.7
    assert np.mean(lesson.losses[-50:]) < np.mean(lesson.losses[:50]) / 1.5
    assert lesson.predict(lesson.layers, lesson.test_inputs[:3].numpy()).dtype == np.float32
    assert np.abs(lesson.losses64 - lesson.torch_losses64).max() < 1e-8 and len(lesson.losses64) == 20


# 9.7 resnet


def randomized(module):
    """Every parameter and running statistic of a module drawn anew, in place."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.1, 0.6)
    return module


@pytest.mark.parametrize(
    "shape, n_out, stride", [((1, 3, 1, 1), 3, 1), ((2, 5, 7, 3), 5, 2), ((3, 2, 4, 5), 7, 1)]
)
def test_block_of_the_resnet_matches_torchvision(resnet, shape, n_out, stride):
    torch.manual_seed(0)
    projection = None
    if stride != 1 or n_out != shape[1]:
        projection = nn.Sequential(nn.Conv2d(shape[1], n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
    library = resnet.models.resnet.BasicBlock(shape[1], n_out, stride, projection)
    library = randomized(library).double().eval()
    mine = resnet.BasicBlock(shape[1], n_out, stride).double().eval()
    mine.load_state_dict(library.state_dict())
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(mine(x), library(x), rtol=1e-10, atol=1e-12)


def test_resnet_has_stages_and_gives_scores_for_any_size(resnet):
    model = resnet.ResNet(2, 4, (5, 6), (1, 3), (1, 2), n_classes=3).eval()
    assert [len(stage) for stage in model.stages] == [1, 3]
    for height, width in ((1, 1), (7, 4)):
        assert model(torch.rand(2, 2, height, width)).shape == (2, 3)
    with pytest.raises(ValueError, match="zip"):
        resnet.ResNet(2, 4, (5, 6), (1,), (1, 2))


def test_augmented_pictures_are_shifted_and_flipped(resnet):
    pictures = torch.arange(1.0, 13).reshape(1, 1, 3, 4).repeat(2, 1, 1, 1)
    before = pictures.clone()
    data = resnet.Augmented(pictures, torch.tensor([4, 5]), torch.Generator().manual_seed(0), reach=1)
    assert len(data) == 2 and data[1][1] == 5
    padded = F.pad(pictures[0], (1, 1, 1, 1), value=1.0)
    windows = [padded[:, i : i + 3, j : j + 4] for i in range(3) for j in range(3)]
    possible = [w for window in windows for w in (window, window.flip(2))]
    seen = set()
    for _ in range(300):
        picture, label = data[0]
        assert label == 4 and picture.shape == (1, 3, 4)
        found = [i for i, w in enumerate(possible) if torch.equal(w, picture)]
        assert found
        seen.add(found[0])
    assert len(seen) == len(possible) == 18
    assert torch.equal(pictures, before)


def test_decay_is_for_matrices_only(resnet):
    model = resnet.new_network(0)
    decayed, others = resnet.parameter_groups(model)
    assert decayed["weight_decay"] == 5e-4 and others["weight_decay"] == 0
    assert all(p.dim() > 1 for p in decayed["params"]) and all(p.dim() <= 1 for p in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(list(model.parameters()))


def test_resumed_run_needs_both_generators(resnet, tmp_path):
    def weights(run):
        return torch.cat([p.detach().cpu().flatten() for p in run.model.parameters()])

    unbroken = resnet.Run(0.05, n_epochs=2, seed=1, n_pictures=128)
    resnet.fit(unbroken, tmp_path / "last.pt")
    broken = resnet.Run(0.05, n_epochs=2, seed=1, n_pictures=128)
    resnet.fit(broken, tmp_path / "last.pt", until=1)
    assert len(broken.history) == 1 and (tmp_path / "last.best").exists()
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    for left_out in (None, "order", "changes", "optimizer", "scheduler", "model"):
        resumed = resnet.Run(0.05, n_epochs=2, seed=7, n_pictures=128)
        resumed.restore({**state, **({left_out: resumed.state()[left_out]} if left_out else {})})
        resnet.fit(resumed, tmp_path / "last.pt")
        same = torch.allclose(weights(resumed), weights(unbroken), rtol=0, atol=1e-6)
        assert same == (left_out is None), left_out


def test_evaluate_is_the_mean_loss_in_evaluation_mode(resnet):
    model = resnet.new_network(3)
    before = copy.deepcopy(model.state_dict())
    loss, scores = resnet.evaluate(model, resnet.validation)
    assert not model.training and scores.shape == (1000, 10)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert loss == pytest.approx(F.cross_entropy(scores, resnet.train_labels[4000:]).item())
    assert resnet.share_right(torch.eye(10)[:4], torch.tensor([0, 1, 2, 4])) == 0.75


def test_the_resnet_reaches_a_useful_accuracy(resnet):
    assert 0.85 < resnet.test_accuracy < 0.95
    assert resnet.confusion.sum() == 1000
    assert resnet.history[-1, 0] < 0.6 * resnet.history[0, 0]


# numbers of every kind


WHOLE_MAPS, FILTERS, LAST_FILTERS, OUT = (
    np.random.default_rng(0).integers(0, 5, s).astype(float)
    for s in [(2, 3, 5, 7), (4, 3, 3, 3), (4, 7, 3, 3), (2, 4, 3, 4)]
)


@pytest.mark.parametrize(
    "stem, call, arrays, batch",
    [
        ("convolution", lambda m, x, w: m.filter_image(x[0, 0], w[0, 0]), [WHOLE_MAPS, FILTERS], ()),
        (
            "convolution",
            lambda m, x, w: m.conv2d_loops(x, w, stride=2, padding=1),
            [WHOLE_MAPS, FILTERS],
            (0,),
        ),
        ("convolution", lambda m, x, w: m.conv2d(x, w, stride=2, padding=1), [WHOLE_MAPS, FILTERS], (0,)),
        (
            "convolution_backward",
            lambda m, x, w: m.conv2d(x, w, stride=2, padding=1),
            [WHOLE_MAPS, FILTERS],
            (0,),
        ),
        (
            "convolution_backward",
            lambda m, g, x, w: m.conv2d_backward(g, x, w, stride=2, padding=1),
            [OUT, WHOLE_MAPS, FILTERS],
            (0, 1),
        ),
        (
            "convolution_backward",
            lambda m, g, w: m.transposed_conv2d(g, w, stride=2, padding=1),
            [OUT, FILTERS],
            (0,),
        ),
        ("convolution_backward", lambda m, x, w: m.conv2d_last(x, w), [WHOLE_MAPS, LAST_FILTERS], (0,)),
        ("pooling", lambda m, x: m.max_pool2d(x, 3, 2, 1), [WHOLE_MAPS], (0,)),
        ("pooling", lambda m, x: m.avg_pool2d(x, 3, 2, 1), [WHOLE_MAPS], (0,)),
        ("pooling", lambda m, g: m.avg_pool2d_backward(g, (2, 4, 6, 8), 2), [OUT], ()),
        (
            "pooling",
            lambda m, g, x: m.max_pool2d_backward(g[:, :3], m.max_pool2d(x, 3, 2, 1)[1], x.shape, 3, 2, 1),
            [OUT, WHOLE_MAPS],
            (0, 1),
        ),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays, batch):
    """Also whole numbers, bytes, arrays that lie apart in memory, one image and none."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays, batch=batch, bytes_too=True)


# settings and photos of one's own


BAD_PLACES = [{"stride": 0}, {"stride": -1}, {"stride": (1, 0)}, {"padding": -1}, {"padding": (0, -2)}]


@pytest.mark.parametrize("settings", BAD_PLACES)
def test_kernels_name_a_wrong_stride_or_padding(lesson, settings):
    x, weight = np.ones((1, 2, 6, 6)), np.ones((3, 2, 3, 3))
    padding = settings.get("padding", 0)
    c, p, b = lesson("convolution"), lesson("pooling"), lesson("convolution_backward")
    calls = [
        *(lambda f=f: f(x, weight, **settings) for f in (c.conv2d, c.conv2d_loops, b.conv2d)),
        *(lambda f=f: f(x, 3, **settings) for f in (p.max_pool2d, p.avg_pool2d, p.pool_windows)),
        lambda: c.slide(x[0, 0], weight[0, 0], **settings),
        lambda: b.columns(x, 3, **settings),
        lambda: b.conv2d_backward(np.ones((1, 3, 4, 4)), x, weight, **settings),
        lambda: b.transposed_conv2d(np.ones((1, 3, 4, 4)), weight, **settings),
    ]
    if padding:
        last = x.transpose(0, 2, 3, 1)
        calls.append(lambda: b.conv2d_last(last, weight, padding))
    for call in calls:
        with pytest.raises(ValueError, match="must be .*1|must not be negative"):
            call()


@pytest.mark.parametrize("kernel_size", [0, (2, 0), -1])
def test_pools_name_an_empty_window(pooling, kernel_size):
    for pool in (pooling.max_pool2d, pooling.avg_pool2d):
        with pytest.raises(ValueError, match="must be at least 1"):
            pool(np.ones((1, 1, 4, 4)), kernel_size, 1)


def test_nan_in_a_window_comes_out_as_nan(pooling, convolution_backward):
    """Also two in one window, or one beside the padding; in PyTorch the last of two gets the gradient."""
    x = np.arange(32.0).reshape(1, 2, 4, 4)
    x[0, 0, 0, :2] = np.nan
    x[0, 1, 3, 3] = np.nan
    for settings in ((2, 2, 0), (3, 1, 1)):
        out, winners = pooling.max_pool2d(x, *settings)
        np.testing.assert_array_equal(out, F.max_pool2d(torch.from_numpy(x), *settings))
        assert winners[np.isnan(out)].max() == 0
        back = pooling.max_pool2d_backward(np.ones(out.shape), winners, x.shape, *settings)
        assert np.isfinite(back).all()
    expected = F.max_pool2d(torch.from_numpy(x), 2)
    fast = pooling.max_pool_2x2(x)
    np.testing.assert_array_equal(fast, expected)
    back = pooling.max_pool_2x2_backward(np.ones(fast.shape), x, fast)
    assert back.sum() == np.isfinite(fast).sum() and not back[np.isnan(x)].any()
    layer = convolution_backward.MaxPool2()
    np.testing.assert_array_equal(layer.forward(x), expected)
    back = layer.backward(np.ones(expected.shape))
    assert back[0, 0, 0].tolist() == [1, 0, 0, 0] and back.sum() == back[0].size / 4


def tiny(m, model):
    """Five images with their labels for a model of lesson m, as its `tune` and `train` take them."""
    return model, torch.rand(5, 1, 28, 28), torch.arange(5)


@pytest.mark.parametrize(
    "stem, changed, train, message",
    [
        ("pooling", {}, lambda m: m.train(*tiny(m, m.mlp(3)), 0, 1e-3, n_epochs=0), "n_epochs must be"),
        ("pooling", {}, lambda m: m.train(*tiny(m, m.mlp(3)), 0, 1e-3, 1, batch_size=0), "batch_size"),
        ("pooling", {}, lambda m: m.train(*tiny(m, m.mlp(3)), 0, 0.0, n_epochs=1, batch_size=2), None),
        ("pooling", {}, lambda m: m.train(*tiny(m, m.mlp(3)), 0, 100.0, n_epochs=2, batch_size=9), None),
        ("architectures", {"n_train": 51}, lambda m: m.train(0.0, 0, n_epochs=1), None),
        ("architectures", {"n_train": 3}, lambda m: m.train(100.0, 0, n_epochs=2), None),
        ("architectures", {}, lambda m: m.train(0.01, 0, n_epochs=0), None),
        ("residual_blocks", {"N_STEPS": 0}, lambda m: m.train(m.network(6, m.BasicBlock), 0.1, 0), None),
        (
            "residual_blocks",
            {"N_STEPS": 2, "BATCH_SIZE": 1},
            lambda m: m.train(m.network(6, m.PlainBlock), 100.0, 0),
            None,
        ),
        (
            "transfer_learning",
            {},
            lambda m: m.from_scratch(torch.rand(3, 28, 28), torch.arange(3), 0, 0),
            None,
        ),
        (
            "transfer_learning",
            {},
            lambda m: m.from_scratch(torch.rand(3, 28, 28), torch.arange(3), 2, 0),
            None,
        ),
        ("convolution_backward", {}, lambda m: m.train_pair(torch.float32, 51, 1, 0.0, 0)[2], None),
        ("convolution_backward", {}, lambda m: m.train_pair(torch.float64, 3, 0, 0.1, 0)[2], None),
        ("resnet", {}, lambda m: m.Run(0.1, 0, 0), "at least one epoch"),
        ("resnet", {}, lambda m: m.Run(0.1, 1, 0, n_pictures=63), "64 pictures, got 1 and 63"),
    ],
)
def test_training_takes_settings_at_the_edge(lesson, monkeypatch, stem, changed, train, message):
    """No step, no rate, a far too high one, batches that do not divide or exceed the data."""
    m = lesson(stem)
    for name, value in changed.items():
        monkeypatch.setattr(m, name, value)
    if message:
        with pytest.raises(ValueError, match=message):
            train(m)
    else:
        result = train(m)
        for value in result.parameters() if isinstance(result, nn.Module) else [result]:
            assert torch.isfinite(torch.as_tensor(value)).all()


@pytest.mark.parametrize("n_epochs, rate, n", [(0, 1e-3, 5), (1, 0.0, 33), (2, 100.0, 5)])
def test_tuning_takes_settings_at_the_edge(transfer_learning, n_epochs, rate, n):
    m = transfer_learning
    torch.manual_seed(0)
    model = m.with_head(nn.Sequential(nn.Conv2d(2, 3, 1)), nn.Linear(12, 10))
    before = copy.deepcopy(model.state_dict())
    m.tune(model, [(model, rate)], torch.rand(n, 2, 4, 4), torch.arange(n) % 10, n_epochs, 0)
    same = all(torch.equal(v.cpu(), before[k]) for k, v in model.state_dict().items())
    assert same == (rate == 0 or n_epochs == 0)
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())


def test_the_share_of_the_rate_is_never_negative(transfer_learning):
    for n_steps in (0, 1, 2, 7, 100):
        shares = [transfer_learning.ramp(step, n_steps) for step in range(n_steps + 1)]
        assert min(shares) >= 0 and max(shares) <= 1 and (n_steps < 10 or shares[-1] == 0)


@pytest.mark.parametrize("rate", [0.0, 100.0])
def test_resnet_trains_at_any_rate_and_stops_where_it_is_told(resnet, tmp_path, rate):
    run = resnet.Run(rate, n_epochs=1, seed=0, n_pictures=70)
    resnet.fit(run, tmp_path / "run.pt", until=0)
    assert run.history == []
    resnet.fit(run, tmp_path / "run.pt")
    assert len(run.history) == 1 and (tmp_path / "run.pt").exists()


@pytest.mark.parametrize("stem", ["convolution", "transfer_learning"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_photo_of_another_kind_is_named(lesson, monkeypatch, tmp_path, stem, channels):
    """A PNG with three or four channels, and a grey photo."""
    m = lesson(stem)
    m.plt.imsave(tmp_path / "own.png", np.ones((9, 8, channels), np.float32))
    with pytest.raises(ValueError, match="8-bit RGB picture, got float32"):
        m.load_photo(tmp_path / "own.png")
    m.plt.imsave(tmp_path / "own.jpg", np.full((9, 8, 3), 200, np.uint8))
    photo = m.load_photo(tmp_path / "own.jpg")
    assert photo.shape == ((5, 4, 3) if stem == "convolution" else (3, 9, 8))
    assert photo.max() == (200 / 255 if stem == "convolution" else 200)
    monkeypatch.setattr(m.plt, "imread", lambda path: np.zeros((9, 8), np.uint8))
    with pytest.raises(ValueError, match=r"8-bit RGB picture, got uint8 \(9, 8\)"):
        m.load_photo(tmp_path / "grey.jpg")


@pytest.mark.parametrize("pixels", [np.ones((300, 300, 4), np.uint8), np.ones((300, 300, 3), np.float32)])
def test_the_architectures_name_a_photo_of_another_kind(architectures, monkeypatch, pixels):
    text = Path(architectures.__file__).read_text(encoding="utf-8")
    (cell,) = [cell for cell in text.split("# %%") if "plt.imread" in cell]
    loading = cell[cell.index("photo = ") : cell.index("cup = ")]
    monkeypatch.setattr(architectures.plt, "imread", lambda path: pixels)
    with pytest.raises(ValueError, match="8-bit RGB picture, got"):
        exec(loading, dict(vars(architectures)))


# benchmarks


@pytest.mark.benchmark(group="conv2d, forward, (2, 3, 12, 12) * (4, 3, 3, 3), float64")
@pytest.mark.parametrize("implementation", ["loops", "numpy", "torch, library"])
def test_small_conv2d_speed(convolution, timed, implementation):
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 3, 12, 12)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    functions = {"loops": convolution.conv2d_loops, "numpy": convolution.conv2d, "torch, library": torch_conv}
    out = timed(functions[implementation], x, weight, bias, 1, 1, flops=2 * 2 * 12 * 12 * 4 * 27)
    np.testing.assert_allclose(out, torch_conv(x, weight, bias, 1, 1), rtol=1e-10, atol=1e-12)


CONV = "(32, 16, 28, 28) * (32, 16, 3, 3), padding 1, float32"


def conv_arrays(layout=None, device="cpu"):
    """Input, weight, bias and cotangent as arrays, and as tensors in this memory layout."""
    rng = np.random.default_rng(0)
    shapes = (32, 16, 28, 28), (32, 16, 3, 3), (32,), (32, 32, 28, 28)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    tensors = [torch.tensor(array, device=device) for array in arrays]
    if layout:
        tensors = [t.to(memory_format=layout) if t.ndim == 4 else t for t in tensors]
    return arrays, tensors


def close(ours, theirs, tolerance=1e-3):
    """Equal to float32's precision, relative to the largest entry."""
    ours, theirs = (torch.as_tensor(v).detach().cpu().double() for v in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * theirs.abs().max().item())


@pytest.mark.parametrize(
    "backward",
    [
        pytest.param(False, marks=pytest.mark.benchmark(group=f"conv2d, forward, {CONV}")),
        pytest.param(True, marks=pytest.mark.benchmark(group=f"conv2d, forward and backward, {CONV}")),
    ],
    ids=["", "with backward"],
)
@pytest.mark.parametrize("implementation", ["numpy", "numpy, fast"])
def test_numpy_conv2d_speed(convolution_backward, timed, implementation, backward):
    (x, weight, bias, c), tensors = conv_arrays()
    last, c_last = (np.ascontiguousarray(v.transpose(0, 2, 3, 1)) for v in (x, c))

    def columns():
        out = convolution_backward.conv2d(x, weight, bias, 1, 1)
        return out, *(convolution_backward.conv2d_backward(c, x, weight, 1, 1) if backward else ())

    def shifted():
        out = convolution_backward.conv2d_last(last, weight, (1, 1))
        out += bias
        return out, *(
            convolution_backward.conv2d_last_backward(c_last, last, weight, (1, 1)) if backward else ()
        )

    flops = (3 if backward else 1) * 2 * 32 * 28 * 28 * 32 * 16 * 9
    found = list(timed(columns if implementation == "numpy" else shifted, flops=flops))
    if implementation == "numpy, fast":
        found[:2] = [v.transpose(0, 3, 1, 2) for v in found[:2]]
    for tensor in tensors[:3]:
        tensor.requires_grad_()
    out = F.conv2d(*tensors[:3], padding=1)
    expected = out, *(torch.autograd.grad(out, tensors[:3], tensors[3]) if backward else ())
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize(
    "backward",
    [
        pytest.param(False, marks=pytest.mark.benchmark(group=f"conv2d, forward, {CONV}")),
        pytest.param(True, marks=pytest.mark.benchmark(group=f"conv2d, forward and backward, {CONV}")),
    ],
    ids=["", "with backward"],
)
@pytest.mark.parametrize(
    "implementation", ["torch, explicit", "torch, library", "torch, library, channels last"]
)
def test_torch_conv2d_speed(timed, device, implementation, backward):
    last = implementation.endswith("last")
    _, (x, weight, bias, c) = conv_arrays(torch.channels_last if last else None, device)
    parameters = [v.requires_grad_(backward) for v in (x, weight, bias)]

    def run():
        if implementation == "torch, explicit":
            out = weight.flatten(1) @ F.unfold(x, 3, padding=1) + bias[:, None]  # (32, 144) @ (N, 144, 784)
            out = out.unflatten(2, (28, 28))
        else:
            out = F.conv2d(x, weight, bias, padding=1)
        return out, *(torch.autograd.grad(out, parameters, c) if backward else ())

    found = timed(run, flops=(3 if backward else 1) * 2 * 32 * 28 * 28 * 32 * 16 * 9)
    _, (x64, weight64, bias64, c64) = conv_arrays()
    parameters64 = [v.double().requires_grad_() for v in (x64, weight64, bias64)]
    out = F.conv2d(*parameters64, padding=1)
    expected = out, *torch.autograd.grad(out, parameters64, c64.double())
    for ours, theirs in zip(found, expected):
        close(ours, theirs, 5e-3)  # on CUDA the library may round inputs to TF32


@pytest.mark.benchmark(group="conv2d, forward, (64, 64, 56, 56) * (64, 64, 3, 3), padding 1, float32, CUDA")
@pytest.mark.parametrize("implementation", ["torch, explicit", "torch, library"])
def test_large_conv2d_speed(timed, device, implementation):
    if device.type == "cpu":
        pytest.skip("sized for a GPU")
    torch.manual_seed(0)
    x, weight = torch.randn(64, 64, 56, 56, device=device), torch.randn(64, 64, 3, 3, device=device)

    def explicit():
        # (64, 576) @ (N, 576, 3136)
        return (weight.flatten(1) @ F.unfold(x, 3, padding=1)).unflatten(2, (56, 56))

    def library():
        return F.conv2d(x, weight, padding=1)

    f = explicit if implementation == "torch, explicit" else library
    close(timed(f, flops=2 * 64 * 56 * 56 * 64 * 64 * 9), library(), 5e-3)


@pytest.mark.benchmark(group="CNN training step, 50 images of Fashion-MNIST")
@pytest.mark.parametrize("implementation", ["float32", "float32, channels last", "bfloat16 autocast"])
def test_cnn_step_speed(convolution_backward, timed, device, implementation):
    torch.manual_seed(0)
    layers, network = convolution_backward.make_pair(torch.float32, np.random.default_rng(0))
    x, y = convolution_backward.train_images[:50, None], convolution_backward.train_labels[:50]
    expected = convolution_backward.training_step(layers, x.numpy(), y.numpy(), 0.0)
    x, y, network = x.to(device), y.to(device), network.to(device)
    if implementation.endswith("last"):
        x, network = x.to(memory_format=torch.channels_last), network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)

    def step():
        with torch.autocast(device.type, torch.bfloat16, enabled="autocast" in implementation):
            loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    flops = 3 * 2 * 50 * (28 * 28 * 8 * 9 + 14 * 14 * 16 * 72 + 784 * 10)
    half = "autocast" in implementation and device.type == "cuda"  # few CPUs have a peak in bfloat16
    dtype = torch.bfloat16 if half else torch.float32
    assert timed(step, flops=flops, dtype=dtype).item() == pytest.approx(expected, rel=0.02)


@pytest.mark.benchmark(group="CNN training step, 50 images of Fashion-MNIST")
@pytest.mark.parametrize("implementation", ["numpy"])
def test_numpy_cnn_step_speed(convolution_backward, timed, implementation):
    layers, network = convolution_backward.make_pair(torch.float32, np.random.default_rng(0))
    x, y = convolution_backward.train_images[:50, None], convolution_backward.train_labels[:50]
    step, flops = (
        convolution_backward.training_step,
        3 * 2 * 50 * (28 * 28 * 8 * 9 + 14 * 14 * 16 * 72 + 784 * 10),
    )
    loss = timed(step, layers, x.numpy(), y.numpy(), 0.0, flops=flops)
    assert loss == pytest.approx(F.cross_entropy(network(x), y).item(), rel=1e-4)


@pytest.mark.benchmark(group="max pooling 2×2, forward and backward, (32, 32, 28, 28), float32")
@pytest.mark.parametrize(
    "implementation", ["numpy", "numpy, fast", "torch, library", "torch, library, channels last"]
)
def test_max_pool_speed(pooling, timed, device, implementation):
    if implementation.startswith("numpy") and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(32, 32, 28, 28)), 0).astype(np.float32)
    c = rng.normal(size=(32, 32, 14, 14)).astype(np.float32)
    layout = torch.channels_last if implementation.endswith("last") else torch.contiguous_format
    tensors = [torch.tensor(v, device=device).contiguous(memory_format=layout) for v in (x, c)]
    tensors[0].requires_grad_()

    def library():
        out = F.max_pool2d(tensors[0], 2)
        return out.detach(), torch.autograd.grad(out, tensors[0], tensors[1])[0]

    def windows():
        out, winners = pooling.max_pool2d(x, 2, 2)
        return out, pooling.max_pool2d_backward(c, winners, x.shape, 2, 2)

    def corners():
        out = pooling.max_pool_2x2(x)
        return out, pooling.max_pool_2x2_backward(c, x, out)

    f = {"numpy": windows, "numpy, fast": corners}.get(implementation, library)
    found = timed(f, bytes=2 * (x.nbytes + c.nbytes))
    for ours, theirs in zip(found, library(), strict=True):
        np.testing.assert_array_equal(torch.as_tensor(ours).cpu(), theirs.cpu())
