"""Chapter 10: what the lessons computed, and how fast their kernels are."""

import copy
import time
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "filters_and_activations": [
        {
            "change": {"argsort()[:3]].tolist()": "argsort(descending=True)[:3]].tolist()"},
            "prints": "the three           ",
            "figure": 5,
        },
        {
            "change": {
                "occlusion_loops(net, x, chosen[name])": "occlusion_loops(net, x, chosen[name], size=32)"
            },
            "figure": 4,
        },
        {
            "add": "black = -mean / std\n"
            "rocket = photos['rocket']\n"
            "for column in (3, 5, 7):\n"
            "    under_black = []\n"
            "    for row in (3, 4, 5):\n"
            "        covered = rocket.clone()\n"
            "        covered[:, 16 * row : 16 * row + 64, 16 * column : 16 * column + 64] = black\n"
            "        under_black.append(net(covered[None])[0].softmax(dim=0)[chosen['rocket']].item())\n"
            "    under_grey = occluded['rocket'][3:6, column].mean().item()\n"
            "    print(f'column {column}: grey {under_grey:.3f}, black {np.mean(under_black):.3f}')",
            "prints": "column 7: grey",
        },
    ],
    "grad_cam": [
        {
            "change": {"TAG_DARK, TAG_LIGHT = 0.0, 1.0": "TAG_DARK, TAG_LIGHT = 0.5, 0.5"},
            "prints": "trained on mixed    coats with a tag",
            "figure": 4,
        },
        {
            "change": {'ASKED = ("espresso", "Egyptian cat")\n': 'ASKED = ("cup", "wooden spoon")\n'},
            "prints": "wooden spoon",
            "figure": 3,
        },
        {
            "add": "def first_three(image):\n"
            "    best = scores(image).softmax(dim=1)[0].topk(3)\n"
            "    pairs = zip(best.indices.tolist(), best.values.tolist())\n"
            "    return [f'{categories[index]} {p:.2f}' for index, p in pairs]\n\n\n"
            "strongest = grad_cam(scores, net.features[12], x, [espresso])[0]\n"
            "covered = strongest > strongest.flatten().quantile(0.8)\n"
            "print('whole:   ', first_three(x))\n"
            "print('covered: ', first_three(x * ~covered))\n"
            "print('shifted: ', first_three(x * ~covered.roll((112, 112), dims=(0, 1))))",
            "prints": "shifted: ",
        },
    ],
    "adversarial_examples": [
        {"change": {"EPSILON = 0.1\n": "EPSILON = 0.03\n"}, "prints": "robust    "},
        {
            "change": {"return 1e4 * standard[0](x)": "return 10.0 * standard[0](x)"},
            "prints": "gradient exactly zero for ",
            "figure": 3,
        },
        {
            "add": "grad = input_gradient(standard[0], clean, classes)\n"
            "lengths = grad.flatten(1).norm(dim=1)[:, None, None, None]  # (400, 1, 1, 1)\n"
            "pushed = (clean + 0.1 * 784**0.5 * grad / (lengths + 1e-12)).clamp(0, 1)\n"
            "by_sign = accuracy(standard[0], attacked[0.1])\n"
            "print(f'by its length {accuracy(standard[0], pushed):.3f}, by its sign {by_sign:.3f}')",
            "prints": "by its length 0.",
        },
    ],
    "model_costs": [
        {"change": {"batch_size, n_averages=2": "batch_size, n_averages=0"}, "figure": 1},
        {
            "change": {"image = torch.empty(1, 3, 224, 224)": "image = torch.empty(1, 3, 160, 160)"},
            "prints": "AlexNet             ",
            "raises": "AssertionError",
        },
        {
            "after": "def total(bill",
            "add": "def clothes_network(*second):\n"
            "    return nn.Sequential(\n"
            "        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), *second, nn.ReLU()),\n"
            "        *(nn.Flatten(), nn.Linear(32 * 49, 10)),\n"
            "    )\n\n\n"
            "dense = nn.Conv2d(16, 32, 3, stride=2, padding=1)\n"
            "pair = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16), nn.Conv2d(16, 32, 1)\n"
            "for own in (clothes_network(dense), clothes_network(*pair)):\n"
            "    print(f'{total(bill_of(own, torch.zeros(1, 1, 28, 28)), \"multiply_adds\"):,}')",
            "prints": "76,048",
        },
    ],
    "model_profiling": [
        {"change": {"(1, 1024))": "(64, 1024))"}, "prints": "linear                       28.4", "figure": 2},
        {
            "change": {
                'ranges, prof = profile_by_kind(built["MobileNetV2"], x)': "ranges, prof = "
                'profile_by_kind(built["ResNet-18"], x)'
            },
            "prints": "BatchNorm2d                   20",
        },
        {
            "after": "def latencies(",
            "add": "for batch_size in (1, 16, 256):\n"
            "    _, batch_times = latencies(small, torch.randn(batch_size, 1, 28, 28).to(device), n=20)\n"
            "    median = percentile(batch_times, 50)\n"
            "    print(f'{batch_size:4d}   {1e3 * median:8.3f} ms, '\n"
            "          f'{1e6 * median / batch_size:8.1f} µs per digit')",
            "prints": " 256   ",
        },
    ],
    "attribution_checks": [
        {"change": {'LAYERS = ("5", "2", "0")': 'LAYERS = ("0", "2", "5")'}, "prints": "size of integrated "},
        {
            "change": {"n_samples=20, spread=0.15": "n_samples=20, spread=1.0"},
            "prints": "darkest ink  ",
            "figure": 1,
        },
        {
            "add": "areas_smooth = []\n"
            "for model in networks:\n"
            "    ranking = images * smooth_grad(model, images, true_classes)\n"
            "    both = deletion_insertion(model, images, true_classes, ranking)\n"
            "    areas_smooth.append([curve.mean() for curve in both])\n"
            "print('SmoothGrad × input', np.mean(areas_smooth, axis=0).round(2))\n"
            "print('gradient × input', areas['gradient × input'].mean(axis=0).round(2))",
            "prints": "SmoothGrad × input [0.1",
        },
    ],
    "feature_maps": [
        {
            "change": {"PERPLEXITY = 30": "PERPLEXITY = 5"},
            "prints": "t-SNE, 2 dim.",
            "figure": 2,
        },
        {
            "change": {"WIDTHS = np.array([1.0, 1.0, 4.0])": "WIDTHS = np.array([1.0, 1.0, 20.0])"},
            "prints": "on the map",
            "figure": 3,
        },
        {
            "add": "noise = np.random.default_rng(0).normal(size=(500, 32))\n"
            "noise_p = neighbor_probabilities(noise, perplexity=5)\n"
            "widest, _ = principal_components(noise, 2)\n"
            "flat = (noise - noise.mean(axis=0)) @ widest.T\n"
            "noise_map, _ = tsne((noise_p + noise_p.T) / 1000, 0.01 * flat / flat[:, 0].std())\n"
            "fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')\n"
            "for ax, points in zip(axes, (flat, noise_map)):\n"
            "    ax.scatter(*points.T, s=10)\n"
            "plt.show()",
            "figure": 4,
        },
    ],
    "activation_maximization": [
        {
            "change": {"decay=0.99,\n": "decay=0.9,\n"},
            "prints": "low frequencies     ",
            "figure": 2,
        },
        {"change": {'"espresso", "daisy")': '"espresso", "jellyfish")'}, "prints": "jellyfish", "figure": 2},
        {
            "add": "cups = coffee.repeat(4, 1, 1, 1)\n"
            "from_photo = ascend_with_rules(wanted_scores, cups, 60, 0.05, *limits, rng)\n"
            "print('from the photo:', wanted_scores(from_photo).round().tolist())\n"
            "fig, axes = plt.subplots(1, 5, figsize=(14, 3.6), layout='constrained')\n"
            "for ax, image, name in zip(axes, [coffee, *from_photo], ['photo', *WANTED]):\n"
            "    ax.imshow((image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy())\n"
            "    ax.set_title(name)\n"
            "plt.show()",
            "prints": "from the photo:",
            "figure": 4,
        },
    ],
}


@pytest.fixture
def filters_and_activations(lesson):
    return lesson("filters_and_activations")


@pytest.fixture
def activation_maximization(lesson):
    return lesson("activation_maximization")


@pytest.fixture
def feature_maps(lesson):
    return lesson("feature_maps")


@pytest.fixture
def grad_cam(lesson):
    return lesson("grad_cam")


@pytest.fixture
def attribution_checks(lesson):
    return lesson("attribution_checks")


@pytest.fixture
def adversarial_examples(lesson):
    return lesson("adversarial_examples")


@pytest.fixture
def model_costs(lesson):
    return lesson("model_costs")


@pytest.fixture
def model_profiling(lesson):
    return lesson("model_profiling")


# 10.1 filters_and_activations


def test_mosaic_places_every_tile(filters_and_activations):
    tiles = np.arange(6 * 2 * 3 * 3, dtype=float).reshape(6, 2, 3, 3)
    for picture in (tiles, tiles[..., 0]):
        joined = filters_and_activations.mosaic(picture, 3, -1)
        assert joined.shape == (2 * 4, 3 * 5, *picture.shape[3:])
        np.testing.assert_array_equal(joined[4 + 1 : 4 + 3, 5 + 1 : 5 + 4], picture[4])
        assert (joined[0] == -1).all() and (joined[:, 4] == -1).all()


def test_capture_returns_the_outputs_and_leaves_no_hook(filters_and_activations):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    x = torch.randn(4, 3)
    kept = filters_and_activations.capture(network, ["0", "1.0", "1"], x)
    torch.testing.assert_close(kept["0"], network[0](x))
    torch.testing.assert_close(kept["1.0"], network[0](x).relu())
    torch.testing.assert_close(kept["1"], network(x))
    with pytest.raises(AttributeError):
        filters_and_activations.capture(network, ["0", "2"], x)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("kernel_size, stride", [(2, 2), (3, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("shape", [(1, 1, 7, 11), (2, 3, 5, 6)])
def test_unpool_is_the_pools_gradient(filters_and_activations, kernel_size, stride, shape):
    torch.manual_seed(0)
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    out, switches = F.max_pool2d(x, kernel_size, stride, return_indices=True)
    cotangent = torch.randn_like(out)
    ours = filters_and_activations.unpool(cotangent, switches, shape[2:])
    torch.testing.assert_close(ours, torch.autograd.grad(out, x, cotangent)[0], rtol=1e-10, atol=1e-12)


def awkward_network():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(2, 5, (3, 2), stride=(2, 1), padding=(1, 0)), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(5, 3, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4, dtype=torch.float64)),
        *(nn.ReLU(), nn.Linear(4, 3)),
    ).double()


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_project_matches_autograd_with_the_rule(filters_and_activations, rule, batch_size):
    network = awkward_network()
    x = torch.randn(batch_size, 2, 16, 13, dtype=torch.float64, requires_grad=True)
    out, notes = filters_and_activations.walk(network, x)
    cotangent = torch.randn_like(out)
    ours = filters_and_activations.project(notes, cotangent, rule)

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z.clamp(min=0)

        @staticmethod
        def backward(ctx, signal):
            (z,) = ctx.saved_tensors
            passed = {"gradient": z > 0, "deconvnet": signal > 0, "guided": (z > 0) & (signal > 0)}
            return torch.where(passed[rule], signal, 0.0)

    h = x
    for layer in network:
        h = Rule.apply(h) if isinstance(layer, nn.ReLU) else layer(h)
    theirs = torch.autograd.grad(h, x, cotangent)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    with filters_and_activations.relu_rule(network, rule):
        hooked = torch.autograd.grad(network(x), x, cotangent)[0]
    torch.testing.assert_close(hooked, theirs, rtol=1e-10, atol=1e-12)
    plain = torch.autograd.grad(network(x), x, cotangent)[0]  # the hooks are gone
    assert torch.equal(plain, hooked) == (rule == "gradient")


def test_rules_name_what_they_do_not_know(filters_and_activations):
    module, ones = filters_and_activations, torch.ones(2, 3)
    with pytest.raises(ValueError, match="'saliency'"):
        module.relu_backward(ones, ones, "saliency")
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3,\)"):
        module.relu_backward(ones, ones[0], "guided")
    with pytest.raises(ValueError, match="'saliency'"):
        module.project([], ones, "saliency")
    with pytest.raises(ValueError, match="Sigmoid"):
        module.project([(nn.Sigmoid(), ones)], ones, "guided")
    with pytest.raises(ValueError, match="'saliency'"), module.relu_rule(nn.ReLU(), "saliency"):
        pass


@pytest.mark.parametrize("place", [0, 13, 100, 195])
def test_receptive_box_is_what_the_unit_sees(filters_and_activations, place):
    torch.manual_seed(0)
    image = torch.rand(1, 1, 28, 28, requires_grad=True)
    out, _ = filters_and_activations.walk(filters_and_activations.model[:4], image)  # before its ReLU
    seen = torch.autograd.grad(out.flatten(2)[0, :, place].sum(), image)[0][0, 0] != 0  # (28, 28)
    padded = F.pad(seen, (4, 4, 4, 4))  # (36, 36)
    box = padded[filters_and_activations.receptive_box(place)]
    assert box.shape == (10, 10) and box.sum() == seen.sum() > 0


@pytest.mark.parametrize("size, stride, batch_size", [(3, 2, 1), (2, 3, 4), (5, 1, 100)])
def test_occlusion_map_matches_one_by_one(filters_and_activations, size, stride, batch_size):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 7 * 5, 3)).double()
    x = torch.randn(2, 7, 5, dtype=torch.float64)
    original = x.clone()
    ours = filters_and_activations.occlusion_map(network, x, 1, size, stride, batch_size)
    for (row, column), value in np.ndenumerate(ours.numpy()):
        mask = torch.ones_like(x)
        mask[:, stride * row : stride * row + size, stride * column : stride * column + size] = 0
        assert value == pytest.approx(network((x * mask)[None]).softmax(dim=1)[0, 1].item(), rel=1e-10)
    loops = filters_and_activations.occlusion_loops(network, x, 1, size, stride)
    torch.testing.assert_close(ours, loops.to(ours.dtype), rtol=1e-5, atol=1e-6)
    assert ours.shape == ((7 - size) // stride + 1, (5 - size) // stride + 1) and torch.equal(x, original)


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_relu_rule_names_a_relu_in_place(filters_and_activations, rule):
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(inplace=True))
    with pytest.raises(ValueError, match="in place"), filters_and_activations.relu_rule(network, rule):
        pass
    assert not any(module._backward_hooks for module in network.modules())
    with pytest.raises(KeyError), filters_and_activations.relu_rule(network[:2], rule):
        raise KeyError
    assert not network[1]._backward_hooks  # taken away in spite of the error


def test_relu_backward_takes_whole_numbers_and_keeps_its_inputs(filters_and_activations):
    z, signal = torch.tensor([[2, -1, 0]]), torch.tensor([[-5, 4, 6]])
    for rule, expected in (("gradient", [-5, 0, 0]), ("deconvnet", [0, 4, 6]), ("guided", [0, 0, 0])):
        assert filters_and_activations.relu_backward(z, signal, rule).tolist() == [expected]
        assert filters_and_activations.relu_backward(z[:0], signal[:0], rule).shape == (0, 3)
    assert z.tolist() == [[2, -1, 0]] and signal.tolist() == [[-5, 4, 6]]


def test_likeness_leaves_out_the_tile_itself(filters_and_activations):
    rng = np.random.default_rng(0)
    tiles = {unit: [torch.from_numpy(rng.normal(size=(10, 10))) for _ in range(9)] for unit in (3, 8)}
    flat = np.stack([tile.numpy().ravel() for nine in tiles.values() for tile in nine])
    correlations = np.corrcoef(flat)
    pairs = [(i, j) for i in range(18) for j in range(18) if i != j]
    own = np.mean([correlations[i, j] for i, j in pairs if i // 9 == j // 9])
    other = np.mean([correlations[i, j] for i, j in pairs if i // 9 != j // 9])
    assert filters_and_activations.likeness(tiles) == pytest.approx((own, other), rel=1e-9)


def test_extent_is_the_smallest_box(filters_and_activations):
    view = torch.zeros(3, 9, 7)
    view[0, 2, 5], view[2, 6, 1] = -1.0, 2.0
    assert filters_and_activations.extent(view) == (slice(2, 7), slice(1, 6))
    assert filters_and_activations.extent(view[:, :3]) == (slice(2, 3), slice(5, 6))


def test_occlusion_map_names_the_shape(filters_and_activations):
    for shape in ((1, 3, 8, 8), (3, 8, 4)):
        with pytest.raises(ValueError, match=str(shape[-2:])[1:-1]):
            filters_and_activations.occlusion_map(nn.Flatten(), torch.zeros(shape), 0, size=5)


def test_the_cup_must_not_be_covered(filters_and_activations):
    coffee = filters_and_activations.occluded["coffee"]
    assert coffee.shape == (11, 11)
    assert coffee[:5, 2:9].mean() < coffee[7:].mean() - 0.1


# 10.2 activation_maximization


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 5, 3)])
def test_ascend_walks_along_the_gradient_and_stays_legal(activation_maximization, shape, dtype):
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=dtype)
    start = torch.zeros(shape, dtype=dtype)

    def score(images):
        return (images * weight).sum(dim=(1, 2, 3))

    step = 0.1 * weight / weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    found = activation_maximization.ascend(score, start, 3, 0.1, -9.0, 9.0)
    exact = dtype == torch.float64
    torch.testing.assert_close(found, 3 * step, rtol=1e-9 if exact else 1e-5, atol=1e-12 if exact else 1e-6)
    assert found.dtype == dtype and not found.requires_grad and (start == 0).all()
    found = activation_maximization.ascend(score, start, 20, 100.0, -0.5, 2.0)
    assert torch.equal(found, torch.where(weight > 0, 2.0, -0.5).to(dtype))
    low, high = (torch.full(shape[1:], value, dtype=dtype) for value in (-0.5, 2.0))  # for each pixel
    assert torch.equal(activation_maximization.ascend(score, start, 20, 100.0, low, high), found)
    with pytest.raises(ValueError, match=str(tuple(shape))[1:-1]):
        activation_maximization.ascend(torch.sum, start, 1, 0.1, 0.0, 1.0)
    flat = activation_maximization.ascend(lambda x: 0 * x.sum(dim=(1, 2, 3)), start, 2, 0.1, -9.0, 9.0)
    assert torch.equal(flat, start)  # nowhere to go


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 5), (5, 12)])
def test_low_frequencies_are_favoured_by_their_period(activation_maximization, size):
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=(2, 3, *size))
    rows, columns = (np.fft.fftfreq(n) for n in size)
    frequency = np.maximum(np.hypot(rows[:, None], columns), 1 / max(size))
    expected = np.fft.ifft2(np.fft.fft2(gradient) / frequency).real
    found = activation_maximization.favor_low_frequencies(torch.from_numpy(gradient))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)
    assert activation_maximization.favor_low_frequencies(torch.zeros(1, 1, *size)).dtype == torch.float32


@pytest.mark.parametrize("photo", ["coffee", "chelsea", "rocket"])
def test_photos_have_strong_low_frequencies(activation_maximization, photo):
    pixels = plt.imread(activation_maximization.HERE / "data" / f"{photo}.jpg").mean(axis=2)  # (H, W)
    frequency = np.hypot(np.fft.fftfreq(len(pixels))[:, None], np.fft.fftfreq(pixels.shape[1]))
    middle = (frequency > 0.01) & (frequency < 0.4)
    strength = np.abs(np.fft.fft2(pixels))[middle]
    slope = np.polyfit(np.log(frequency[middle]), np.log(strength), 1)[0]
    assert -1.7 < slope < -0.6  # like 1 / frequency, roughly


@pytest.mark.parametrize("coarse", [False, True])
def test_ascend_with_rules_takes_the_steps_it_says(activation_maximization, coarse):
    module = activation_maximization
    torch.manual_seed(0)
    weight = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    start = torch.randn(2, 3, 9, 11, dtype=torch.float64)

    def score(images):
        return (weight * images.sin()).sum(dim=(1, 2, 3))

    settings = {"jitter": 2, "decay": 0.9, "sigmas": (0.8, 0.4), "coarse": coarse}
    rng = np.random.default_rng(3)
    found = module.ascend_with_rules(score, start.clone(), 2, 0.5, -1.0, 1.5, rng, **settings)
    rng = np.random.default_rng(3)
    expected = start
    for sigma in (0.8, 0.6):
        shift = tuple(rng.integers(-2, 3, size=2).tolist())
        leaf = expected.clone().requires_grad_()
        gradient = torch.autograd.grad(score(leaf.roll(shift, dims=(2, 3))).sum(), leaf)[0]
        if coarse:
            gradient = module.favor_low_frequencies(gradient)
        expected = expected + 0.5 * gradient / gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        expected = module.blur(0.9 * expected, sigma).clamp(-1.0, 1.5)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_class_scores_are_rows_of_the_whole_layer(activation_maximization):
    module = activation_maximization
    images = torch.randn(3, 3, 65, 80, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([7, 999, 7])
    whole = module.net.classifier[1](module.net.features(images)).mean(dim=(2, 3))
    ours = module.class_scores(images, classes)
    torch.testing.assert_close(ours, whole[torch.arange(3), classes], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 1.7])
def test_blur_matches_torchvision(activation_maximization, sigma):
    from torchvision.transforms import functional as TF

    x = torch.rand(2, 3, 13, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    size = 2 * max(1, round(3 * sigma)) + 1
    theirs = TF.gaussian_blur(x, [size, size], [sigma, sigma])
    torch.testing.assert_close(activation_maximization.blur(x, sigma), theirs, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="-0.3"):
        activation_maximization.blur(x, -sigma if sigma == 0.3 else -0.3)


def test_jitter_looks_at_every_place_within_its_reach(activation_maximization):
    seen = set()

    def score(images):
        seen.add(tuple((images[0, 0] == 1).nonzero()[0].tolist()))
        return images.sum(dim=(1, 2, 3))

    for seed in range(60):
        x = torch.zeros(1, 1, 9, 9)
        x[0, 0, 4, 4] = 1
        activation_maximization.ascend_with_rules(
            score, x, 1, 0.1, 0, 1, np.random.default_rng(seed), jitter=2
        )
    rows, columns = zip(*seen, strict=True)
    assert (min(rows), max(rows)) == (min(columns), max(columns)) == (2, 6)


def test_dissect_counts_sets(activation_maximization):
    rng = np.random.default_rng(0)
    activations, labels = rng.normal(size=(40, 4)), rng.integers(3, size=40)
    activations[:, 3] = 0
    overlap = activation_maximization.dissect(activations, labels, 3, 0.25)
    for unit in range(4):
        on = set(np.argsort(-activations[:, unit])[:10].tolist()) if unit < 3 else set()
        for label in range(3):
            member = set(np.flatnonzero(labels == label).tolist())
            assert overlap[unit, label] == pytest.approx(len(on & member) / len(on | member))


def test_silenced_units_and_limits(activation_maximization):
    module = activation_maximization
    assert (module.recall_without(list(range(32))) > 0).sum() == 1  # without features, one answer for all
    assert module.features.min() >= 0 and module.intact.shape == (10,)
    low, high = module.limits
    for pictures in module.pictures.values():
        assert (pictures >= low).all() and (pictures <= high).all()
    pair = torch.tensor([[[[1.0, 2.0, 3.0], [5.0, 3.0, 1.0]]]])
    expected = np.corrcoef([1, 2, 5, 3], [2, 3, 3, 1])[0, 1]
    assert module.neighbor_correlation(pair) == pytest.approx(expected, rel=1e-5)


# 10.3 feature_maps


def test_neighbors_and_agreement_match_brute_force(feature_maps):
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(23, 3)) + 5, rng.integers(3, size=23)
    squared = ((points[:, None] - points) ** 2).sum(axis=2)
    ours = feature_maps.squared_distances(points)
    np.testing.assert_allclose(ours, squared, rtol=1e-10, atol=1e-11)
    found, hits = feature_maps.neighbors(points, 4), 0
    for i in range(23):
        order = sorted(set(range(23)) - {i}, key=lambda j: squared[i, j])[:4]
        assert found[i].tolist() == order
        hits += sum(labels[j] == labels[i] for j in order)
    assert feature_maps.agreement(points, labels, 4) == pytest.approx(hits / 92)
    with pytest.raises(ValueError, match=r"\(23, 3\).*\(22,\)"):
        feature_maps.agreement(points, labels[1:])
    with pytest.raises(ValueError, match="23 neighbours among 23"):
        feature_maps.agreement(points, labels, 23)


@pytest.mark.parametrize("n, d, k", [(7, 3, 3), (4, 6, 2), (50, 1, 1)])
def test_principal_components_match_svd(feature_maps, n, d, k):
    points = np.random.default_rng(0).normal(size=(n, d)) * np.arange(1, d + 1) + 3
    directions, variances = feature_maps.principal_components(points, k)
    assert directions.shape == (k, d) and variances.shape == (k,)
    _, singular, rows = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(variances, singular[:k] ** 2 / n, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.abs(directions @ rows[:k].T), np.eye(k), atol=1e-8)


@pytest.mark.parametrize("n, perplexity", [(5, 2.0), (40, 11.0)])
def test_neighbor_probabilities_have_the_perplexity(feature_maps, n, perplexity):
    points = np.random.default_rng(0).normal(size=(n, 3)) * np.linspace(0.1, 50, n)[:, None]
    p = feature_maps.neighbor_probabilities(points, perplexity)
    assert (np.diag(p) == 0).all() and (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropy), perplexity, rtol=1e-6)
    squared = ((points[:, None] - points) ** 2).sum(axis=2)
    far, near = np.argsort(squared[0])[[3, 1]]  # the same bell curve for both
    beta = -np.log(p[0, far] / p[0, near]) / (squared[0, far] - squared[0, near])
    other = np.argsort(squared[0])[2]
    assert np.log(p[0, near] / p[0, other]) == pytest.approx(beta * (squared[0, other] - squared[0, near]))
    for wrong in (1.0, n - 1.0):
        with pytest.raises(ValueError, match=f"{n - 1}, got {wrong}"):
            feature_maps.neighbor_probabilities(points, wrong)


@pytest.mark.parametrize("n", [3, 17])
def test_tsne_gradient_matches_autograd(feature_maps, n):
    rng = np.random.default_rng(0)
    p = rng.random((n, n)) * (1 - np.eye(n))
    p = (p + p.T) / (p + p.T).sum()
    y = torch.tensor(rng.normal(size=(n, 2)), requires_grad=True)
    off = ~torch.eye(n, dtype=torch.bool)
    w = (1 / (1 + (y[:, None] - y).square().sum(dim=2)))[off]
    target = torch.tensor(p)[off]
    loss = (target * (target / (w / w.sum())).log()).sum()
    ours, gradient = feature_maps.tsne_gradient(p, y.detach().numpy())
    np.testing.assert_allclose(ours, loss.item(), rtol=1e-10)
    np.testing.assert_allclose(gradient, torch.autograd.grad(loss, y)[0], rtol=1e-9, atol=1e-12)


def test_tsne_takes_the_steps_it_says(feature_maps):
    rng = np.random.default_rng(0)
    p = rng.random((6, 6)) * (1 - np.eye(6))
    p = (p + p.T) / (p + p.T).sum()
    start = rng.normal(size=(6, 2))
    y, losses = feature_maps.tsne(p, start, 3, 0.5, 4.0, 2)
    expected, velocity = start, 0
    for factor, momentum, loss in zip((4, 4, 1), (0.5, 0.5, 0.8), losses, strict=True):
        assert loss == pytest.approx(feature_maps.tsne_gradient(p, expected)[0])
        gradient = feature_maps.tsne_gradient(factor * p, expected)[1]
        velocity = momentum * velocity - 0.5 * gradient
        expected = expected + velocity
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


def test_maps_take_whole_numbers_column_order_and_float32(feature_maps):
    module = feature_maps
    whole = np.random.default_rng(0).integers(-5, 6, size=(13, 3))
    before = whole.copy()
    for points in (whole, np.asfortranarray(whole), whole.astype(np.float32), whole[::-1][::-1]):
        tolerance = 1e-4 if points.dtype == np.float32 else 1e-10
        expected = ((whole[:, None] - whole) ** 2).sum(axis=2)
        found = module.squared_distances(points)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        directions, variances = module.principal_components(points, 2)
        covariance = np.cov(whole.T, bias=True)
        np.testing.assert_allclose(covariance @ directions.T, directions.T * variances, atol=1e-4)
        p = module.neighbor_probabilities(points, 4.0)
        np.testing.assert_allclose(np.exp(module.row_entropies(p)), 4, rtol=1e-5)
    assert module.squared_distances(whole.astype(np.float32)).dtype == np.float32
    assert np.array_equal(whole, before)


def test_known_groups_are_measured_as_they_are(feature_maps):
    module = feature_maps
    points = module.WIDTHS[module.group][:, None] * np.tile([[1.0, 0.0], [-1.0, 0.0]], (90, 1))
    points[:, 1] += module.CENTRES[module.group]
    assert module.ratios(points) == pytest.approx((5, 4), rel=1e-9)


def test_what_the_network_keeps_near(feature_maps):
    module = feature_maps
    assert module.tsne_map.shape == (500, 2) and len(module.tsne_losses) == 300
    tail = np.array(module.tsne_losses[100:])
    assert (np.diff(tail) < 1e-3).all()
    assert module.good["features"][module.query] > module.good["pixels"][module.query] + 2


# 10.4 grad_cam


def small_cam_network(n_maps=5, n_classes=4, inplace=False):
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(2, n_maps, 3, stride=2), nn.Tanh(), nn.ReLU(inplace=inplace)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_maps, n_classes)),
    ).double()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("batch_size, size", [(1, (9, 14)), (3, (11, 5))])
def test_grad_cam_is_cam_where_a_mean_and_a_linear_layer_follow(grad_cam, batch_size, size, sign):
    network = small_cam_network().requires_grad_(batch_size == 1)
    images = torch.randn(batch_size, 2, *size, dtype=torch.float64)
    classes = torch.arange(batch_size) + 1
    maps = network[:3](images).detach()  # (B, 5, h, w)
    cam = torch.einsum("bk,bkhw->bhw", network[5].weight[classes], maps) / maps[0, 0].numel()
    expected = F.interpolate((sign * cam).clamp(min=0)[:, None], size=size, mode="bilinear")[:, 0]
    ours = grad_cam.grad_cam(network, network[2], images, classes, sign)
    assert ours.shape == (batch_size, *size) and ours.abs().sum() > 0 and not ours.requires_grad
    torch.testing.assert_close(ours, expected.detach(), rtol=1e-10, atol=1e-12)
    assert not network[2]._forward_hooks


def test_grad_cam_matches_the_textbook_in_a_deeper_network(grad_cam):
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.Sigmoid(), nn.Conv2d(3, 4, 2), nn.ReLU(inplace=True)),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(6), nn.Tanh(), nn.Linear(6, 3)),
    )
    network(torch.zeros(1, 1, 9, 7))
    network = network.double()
    images = torch.randn(4, 1, 9, 7, dtype=torch.float64)
    classes = torch.tensor([2, 0, 1, 2])
    for index in (0, 1, 2, 4):
        maps = network[: index + 1](images).detach().requires_grad_()
        scores = network[index + 1 :](maps.clone())[torch.arange(4), classes]
        alpha = torch.autograd.grad(scores.sum(), maps)[0].mean(dim=(2, 3), keepdim=True)
        expected = (alpha * maps.detach()).sum(dim=1, keepdim=True).clamp(min=0)
        expected = F.interpolate(expected, size=(9, 7), mode="bilinear")[:, 0]
        with torch.no_grad():
            ours = grad_cam.grad_cam(network, network[index], images, classes)
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_grad_cam_names_a_layer_that_runs_twice_or_never(grad_cam):
    relu = nn.ReLU()
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), relu, nn.Conv2d(2, 2, 3), relu, nn.Flatten(), nn.LazyLinear(3)
    )
    images = torch.randn(1, 1, 7, 7)
    for layer, times in ((relu, 2), (nn.ReLU(), 0)):
        with pytest.raises(ValueError, match=f"ran {times} times"):
            grad_cam.grad_cam(network, layer, images, [1])
    network[1] = nn.ReLU(inplace=True)
    with pytest.raises(ValueError, match="in place"):
        grad_cam.guided_gradient(network, images, [1])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("inplace", [False, True])
def test_fast_grad_cam_equals_the_plain_one(grad_cam, inplace, sign):
    network = small_cam_network(inplace=inplace).requires_grad_(False)
    images, classes = torch.randn(3, 2, 9, 14, dtype=torch.float64), [2, 0, 3]
    for index in (1, 2) if inplace else (0, 1, 2):  # a tanh needs its output for the way back
        with torch.no_grad():
            plain = grad_cam.grad_cam(network, network[index], images, classes, sign)
            fast = grad_cam.grad_cam_fast(network, network[index], images, classes, sign)
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)
        single = grad_cam.grad_cam(network.float(), network[index], images.float(), classes, sign)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), plain, rtol=1e-4, atol=1e-5)
        network.double()


def test_grad_cam_names_the_shapes(grad_cam):
    network = small_cam_network()
    images = torch.zeros(2, 2, 9, 9, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"\(2, 2, 9, 9\) for 1 classes"):
        grad_cam.grad_cam(network, network[2], images, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        grad_cam.grad_cam(network, network[4], images, torch.tensor([0, 1]))
    assert not any(module._forward_hooks for module in network.modules())


def test_guided_grad_cam_is_the_product(grad_cam):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    network.append(nn.Linear(4 * 5 * 3, 3)).double()
    images, classes = torch.randn(2, 1, 9, 7, dtype=torch.float64), torch.tensor([2, 0])
    first, second = network[0](images), network[2](network[1](network[0](images)))
    signal = network[5].weight[classes].reshape(second.shape)  # (2, 60) -> (2, 4, 5, 3)
    signal = signal.clamp(min=0) * (second > 0)
    signal = F.conv_transpose2d(signal, network[2].weight).clamp(min=0) * (first > 0)
    guided = F.conv_transpose2d(signal, network[0].weight).detach()
    ours = grad_cam.guided_gradient(network, images, classes)
    torch.testing.assert_close(ours, guided, rtol=1e-10, atol=1e-12)
    heat = grad_cam.grad_cam(network, network[3], images, classes)
    ours = grad_cam.guided_grad_cam(network, network[3], images, classes)
    torch.testing.assert_close(ours, guided * heat[:, None], rtol=1e-10, atol=1e-12)
    assert not any(module._backward_hooks for module in network.modules())


def test_inside_counts_mass_and_area(grad_cam):
    heat = torch.zeros(4, 6)
    heat[1, 2], heat[3, 5] = 3.0, 1.0
    assert grad_cam.inside(heat, (0, 2, 2, 5)) == (True, pytest.approx(0.75 / 0.25))
    assert grad_cam.inside(heat, (2, 4, 0, 6)) == (False, pytest.approx(0.25 / 0.5))
    for box, hit in (
        ((1, 2, 2, 3), True),
        ((0, 1, 0, 6), False),
        ((0, 4, 3, 6), False),
        ((2, 4, 0, 6), False),
    ):
        assert grad_cam.inside(heat, box)[0] is hit


def test_show_map_lays_the_heat_over_a_gray_photo(grad_cam):
    fig, ax = plt.subplots()
    x, heat = grad_cam.photos["coffee"], torch.rand(224, 224, generator=torch.Generator().manual_seed(0))
    grad_cam.show_map(ax, x, heat, "a cup")
    below, above = (np.asarray(image.get_array()) for image in ax.images)
    plt.close(fig)
    colors = x.numpy().transpose(1, 2, 0) * grad_cam.preprocess.std + grad_cam.preprocess.mean
    np.testing.assert_allclose(below, colors.clip(0, 1).mean(axis=2), atol=1e-5)
    np.testing.assert_array_equal(above, heat.numpy())
    assert ax.get_title() == "a cup" and grad_cam.nets["shop"](grad_cam.shirts[:1]).shape == (1, 2)


def test_the_tag_hangs_where_it_should(grad_cam):
    images = torch.full((3, 1, 28, 28), 0.5)
    tagged = grad_cam.with_tag(images, torch.tensor([True, False, True]))
    assert torch.equal(tagged[1], images[1]) and (images == 0.5).all()
    changed = (tagged[0, 0] != 0.5).nonzero()
    assert changed.amin().item() == 1 and changed.amax().item() == 4 and len(changed) == 16
    assert tagged[0, 0, 1, 1] == 1 and tagged[2, 0, 1, 2] == 0 and tagged[0].sum() == 768 * 0.5 + 8
    kinds, labels = grad_cam.coats_and_shirts(images[:, 0], torch.tensor([4, 3, 6]))
    assert kinds.shape == (2, 1, 28, 28) and labels.tolist() == [0, 1]


# 10.5 attribution_checks


@pytest.mark.parametrize("n", [1, 2, 7])
def test_integrated_gradients_are_complete(attribution_checks, n):
    rng = np.random.default_rng(n)
    x, baseline, matrix = rng.normal(size=n), rng.normal(size=n), rng.normal(size=(n, n))
    for n_steps in (1, 3):  # the gradient of a quadratic is linear on the way: the midpoint rule is exact
        shares = attribution_checks.integrate(lambda z: (matrix + matrix.T) @ z, x, baseline, n_steps)
        gained = x @ matrix @ x - baseline @ matrix @ baseline
        np.testing.assert_allclose(shares.sum(), gained, rtol=1e-10, atol=1e-12)


def test_integrate_takes_the_middles_and_keeps_the_type(attribution_checks):
    places = []
    start, end = np.array([1, 2]), np.array([3, 10])  # whole numbers
    shares = attribution_checks.integrate(lambda z: places.append(z) or 3 * z**2, end, start, 2)
    np.testing.assert_allclose(places, [[1.5, 4], [2.5, 8]])
    np.testing.assert_allclose(shares, [3 * 2 * (1.5**2 + 2.5**2) / 2, 3 * 8 * (16 + 64) / 2])
    assert start.tolist() == [1, 2] and end.tolist() == [3, 10]
    single = attribution_checks.integrate(lambda z: z, np.float32([1, 2]), np.float32([0, 0]), 3)
    assert single.dtype == np.float32


def test_gradient_wants_a_class_per_image(attribution_checks):
    model, x = nn.Linear(3, 4), torch.zeros(2, 3)
    for classes in (torch.tensor([1]), torch.tensor([[1, 2]])):
        with pytest.raises(ValueError, match=r"\(2, 3\) with classes of shape \("):
            attribution_checks.gradient(model, x, classes)
    x = torch.randn(2, 3)
    ours = attribution_checks.gradient(model, x, torch.tensor([3, 0]))
    torch.testing.assert_close(ours, model.weight[[3, 0]])
    ours = attribution_checks.gradient_times_input(model, x, torch.tensor([3, 0]))
    torch.testing.assert_close(ours, x * model.weight[[3, 0]])
    assert not x.requires_grad and model.weight.grad is None


@pytest.mark.parametrize("batch_size", [1, 3])
def test_integrated_gradients_match_numpy(attribution_checks, batch_size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    x, y = torch.randn(batch_size, 2, 3, dtype=torch.float64), torch.arange(batch_size) + 1
    for baseline in (0.0, 0.7):
        ours = attribution_checks.integrated_gradients(model, x, y, 7, baseline)
        assert ours.shape == x.shape
        for image, target, shares in zip(x, y, ours):

            def slope(z, target=target):
                z = torch.from_numpy(z).reshape(1, 2, 3).requires_grad_()
                return torch.autograd.grad(model(z)[0, target], z)[0].numpy().ravel()

            expected = attribution_checks.integrate(slope, image.numpy().ravel(), np.full(6, baseline), 7)
            np.testing.assert_allclose(shares.numpy().ravel(), expected, rtol=1e-10, atol=1e-12)


def test_smooth_grad_is_the_gradient_of_the_average(attribution_checks):
    torch.manual_seed(0)
    cube = lambda x: x * x * x  # its slope with noise: 3 (x² + spread²)
    x = torch.full((20_000, 1), 0.4, dtype=torch.float64)
    slopes = attribution_checks.smooth_grad(cube, x, torch.zeros(len(x)).long(), n_samples=2, spread=0.5)
    error = slopes.std().item() / len(x) ** 0.5
    assert error < 0.02 and abs(slopes.mean().item() - 3 * (0.16 + 0.25)) < 4 * error


@pytest.mark.parametrize("values", [[4.0], [2, 2, 2, 1], [0.5, -1, 3, -1, 0.5, 0.5, 9]])
def test_ranks_share_places(attribution_checks, values):
    ours = attribution_checks.ranks(np.array(values))
    expected = [sum(w < v for w in values) + (1 + sum(w == v for w in values)) / 2 for v in values]
    np.testing.assert_allclose(ours, expected)


def test_rank_correlation_sees_order_alone(attribution_checks):
    a = np.random.default_rng(0).normal(size=(5, 7))
    b = np.random.default_rng(1).normal(size=(5, 7))
    correlation = attribution_checks.rank_correlation
    assert correlation(a, np.exp(3 * a)) == pytest.approx(1) and correlation(a, -(a**3)) == pytest.approx(-1)
    places = [attribution_checks.ranks(values.ravel()) for values in (a, b)]
    assert correlation(torch.from_numpy(a), b) == pytest.approx(np.corrcoef(*places)[0, 1], rel=1e-10)
    with pytest.raises(ValueError, match=r"\(5, 7\) and \(7, 5\)"):
        correlation(a, b.T)
    with pytest.raises(ValueError, match="constant"):
        correlation(a, np.ones_like(a))


def test_randomised_redraws_only_what_is_named(attribution_checks):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 20), nn.ReLU(), nn.Sequential(nn.Linear(20, 3)))
    fresh = attribution_checks.randomised(model, ["0"])
    assert torch.equal(fresh[2][0].weight, model[2][0].weight) and torch.equal(fresh[0].bias, model[0].bias)
    assert abs(np.corrcoef(fresh[0].weight.detach().ravel(), model[0].weight.detach().ravel())[0, 1]) < 0.1
    assert fresh[0].weight.std().item() == pytest.approx(model[0].weight.std().item(), rel=0.05)
    assert not torch.equal(attribution_checks.randomised(model, ["2"])[2][0].weight, model[2][0].weight)


def test_guided_is_a_copy_with_the_rule(attribution_checks):
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).double(), torch.randn(3, 4).double()
    y = torch.tensor([0, 1, 0])
    plain = attribution_checks.gradient(model, x, y)
    ours = attribution_checks.gradient(attribution_checks.guided(model), x, y)
    signal = model[2].weight[y].clamp(min=0) * (model[0](x) > 0)  # (3, 6)
    torch.testing.assert_close(ours, signal @ model[0].weight, rtol=1e-10, atol=1e-12)
    assert torch.equal(attribution_checks.gradient(model, x, y), plain) and not torch.equal(ours, plain)


def test_curves_on_a_model_that_counts(attribution_checks):
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    shown = attribution_checks.keep_first(x, torch.tensor([[3, 0, 1, 2]]), 2, fill=0.5)
    assert shown.tolist() == [[[1, 0.5], [0.5, 4]]]
    model = lambda z: torch.stack([z.flatten(1).sum(dim=1), torch.zeros(len(z))], dim=1)
    twice, classes = torch.cat([x, x.flip(2)]), torch.tensor([0, 0])
    sigmoid = lambda total: 1 / (1 + np.exp(-np.array(total)))
    for fill in (0.0, 0.25):
        curves = attribution_checks.deletion_insertion(model, twice, classes, twice, fill, n_points=5)
        erased = [total + fill * n for n, total in enumerate((10, 6, 3, 1, 0))]
        np.testing.assert_allclose(curves[0], sigmoid(erased), rtol=1e-5)
        shown = [total + fill * (4 - n) for n, total in enumerate((0, 4, 7, 9, 10))]
        np.testing.assert_allclose(curves[1], sigmoid(shown), rtol=1e-5)
    with pytest.raises(ValueError, match=r"\(2, 2\) but the images \(1, 2, 2\)"):
        attribution_checks.deletion_insertion(model, x, torch.tensor([0]), x[0])


def test_photo_maps_match_autograd(attribution_checks):
    module = attribution_checks
    net, photos, answers = module.net, module.photos.clone().requires_grad_(), module.photo_classes
    last = net.features(photos)
    chosen = net.classifier(last).flatten(1)[torch.arange(3), answers].sum()
    pixels, cells = torch.autograd.grad(chosen, (photos, last))
    cam = (cells.mean(dim=(2, 3), keepdim=True) * last.detach()).sum(dim=1)

    class Guided(nn.Module):
        def forward(self, z):
            h = z.relu()
            h.register_hook(lambda signal: signal.clamp(min=0))
            return h

    copied = copy.deepcopy(net)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, Guided())
    chosen = copied(photos)[torch.arange(3), answers].sum()
    guided = torch.autograd.grad(chosen, photos)[0]
    expected = {"saliency": pixels.abs().amax(dim=1), "guided": guided.abs().amax(dim=1), "Grad-CAM": cam}
    ours = module.photo_maps(net)
    assert ours.keys() == expected.keys()
    for name, values in expected.items():
        scale = values.abs().max().item()
        torch.testing.assert_close(ours[name], values, rtol=1e-3, atol=1e-4 * scale)


def test_grad_cam_notices_the_redrawn_layer_and_guided_does_not(attribution_checks):
    same = attribution_checks.same
    assert same["Grad-CAM"].shape == (4, 3) and same["Grad-CAM"].mean() < 0.6 < 0.7 < same["guided"].min()
    assert attribution_checks.trained_maps["Grad-CAM"].shape == (3, 13, 13)


def test_signed_maps_beat_the_ink_and_saliency_does_not(attribution_checks):
    areas = attribution_checks.areas
    for name in attribution_checks.METHODS:
        assert areas[name][:, 0].max() < areas["darkest ink"][:, 0].min()
        assert areas[name][:, 1].min() > areas["darkest ink"][:, 1].max()
    assert areas["saliency"][:, 0].min() > areas["darkest ink"][:, 0].max()


# 10.6 adversarial_examples


@pytest.mark.parametrize("n_pixels", [1, 2, 7])
@pytest.mark.parametrize("epsilon", [0.05, 0.6])
def test_linear_fgsm_is_exact_for_two_classes(adversarial_examples, n_pixels, epsilon):
    rng = np.random.default_rng(n_pixels)
    for _ in range(20):
        weight, bias, x = rng.normal(size=(2, n_pixels)), rng.normal(size=2), rng.random(n_pixels)
        box = adversarial_examples.corners(x, epsilon)
        assert box.shape == (2**n_pixels, n_pixels) and box.min() >= 0 and box.max() <= 1
        for target in (0, 1):
            losses = [F.cross_entropy(torch.from_numpy(weight @ z + bias), torch.tensor(target)) for z in box]
            worst = adversarial_examples.linear_fgsm(weight, bias, x, target, epsilon)
            found = F.cross_entropy(torch.from_numpy(weight @ worst + bias), torch.tensor(target))
            assert found.item() == pytest.approx(max(losses).item(), rel=1e-10)
            assert abs(adversarial_examples.shortfall(weight, bias, x, target, epsilon)) < 1e-12


def test_linear_fgsm_survives_large_logits(adversarial_examples):
    weight, x = np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([0.4, 0.5])
    moved = adversarial_examples.linear_fgsm(weight, np.zeros(2), x, 0, 0.1)
    np.testing.assert_allclose(moved, [0.3, 0.6], rtol=1e-12)


def test_linear_fgsm_names_the_fault(adversarial_examples):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4,\).*\(2,\)"):
        adversarial_examples.linear_fgsm(np.ones((2, 3)), np.ones(2), np.ones(4), 0, 0.1)
    for target in (-1, 2):
        with pytest.raises(ValueError, match=f"no class {target} among 2"):
            adversarial_examples.linear_fgsm(np.ones((2, 3)), np.ones(2), np.ones(3), target, 0.1)


def test_linear_fgsm_on_whole_and_single_numbers(adversarial_examples):
    weight, bias, x = np.array([[2, -1, 0], [-1, 3, 0]]), np.array([0, 1]), np.array([0, 1, 1])
    moved = adversarial_examples.linear_fgsm(np.asfortranarray(weight), bias, x, 0, 0.25)
    np.testing.assert_allclose(
        moved, [0, 1, 1]
    )  # both steps lead out of the box; the third pixel has no slope
    moved = adversarial_examples.linear_fgsm(weight, bias, x, 1, 0.25)
    np.testing.assert_allclose(moved, [0.25, 0.75, 1])
    single = [np.float32(a) for a in (weight, bias, x)]
    assert adversarial_examples.linear_fgsm(*single, 0, 0.1).dtype == np.float32
    assert x.tolist() == [0, 1, 1]


@pytest.mark.parametrize("target", [0, 1, 2])
def test_cross_entropy_matches_pytorch(adversarial_examples, target):
    logits = np.concatenate([np.random.default_rng(0).normal(size=(5, 3)), [[1e4, -1e4, 0.0]]])
    expected = F.cross_entropy(torch.from_numpy(logits), torch.full((6,), target), reduction="none")
    ours = adversarial_examples.cross_entropy(logits, target)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_input_gradient_is_each_images_own(adversarial_examples, batch_size):
    torch.manual_seed(batch_size)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 5 * 2, 4)).double()
    x, y = torch.rand(batch_size, 2, 7, 4, dtype=torch.float64), torch.arange(batch_size) % 4
    ours = adversarial_examples.input_gradient(model, x, y)
    assert ours.shape == x.shape and not x.requires_grad and model[0].weight.grad is None
    for i in range(batch_size):
        nudge = torch.randn(2, 7, 4, dtype=torch.float64)
        losses = [F.cross_entropy(model((x[i] + h * nudge)[None]), y[i : i + 1]) for h in (1e-5, -1e-5)]
        slope = (losses[0] - losses[1]).item() / 2e-5
        assert (ours[i] * nudge).sum().item() == pytest.approx(slope, rel=1e-6, abs=1e-10)


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.7])
def test_attacks_stay_within_the_box_and_move_the_loss(adversarial_examples, epsilon):
    torch.manual_seed(0)
    module = adversarial_examples
    model, x, y = nn.Sequential(nn.Flatten(), nn.Linear(35, 3)), torch.rand(4, 1, 7, 5), torch.arange(4) % 3
    original = x.clone()
    before = F.cross_entropy(model(x), y).item()
    for attack in (module.fgsm, module.basic_iterative, module.pgd, module.targeted):
        changed = attack(model, x, y, epsilon)
        assert module.within(changed, x, epsilon) and torch.equal(x, original)
        rise = F.cross_entropy(model(changed), y).item() - before
        if epsilon == 0:
            assert abs(rise) < 1e-6
        else:
            assert rise < 0 if attack is module.targeted else rise > 0
            assert not module.within(changed, x, epsilon / 2)
    assert not module.within(x + 1, x, 2) and not module.within(x - 1, x, 2)


def test_basic_iterative_takes_the_steps_it_says(adversarial_examples):
    slopes = []

    def model(x):  # its loss grows with x to the right of 0.5 and falls to the left of it
        slopes.append(x.detach().flatten().tolist())
        return torch.cat([-10 * (x - 0.5) ** 2, torch.zeros_like(x)], dim=1)

    x, y = torch.tensor([[0.6], [0.4]]), torch.tensor([0, 0])
    end = adversarial_examples.basic_iterative(model, x, y, 0.2, n_steps=5)
    torch.testing.assert_close(end, torch.tensor([[0.8], [0.2]]))
    np.testing.assert_allclose(
        slopes, [[0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]], rtol=1e-5
    )
    start = torch.tensor([[0.45], [0.45]])  # the first has crossed the top: it goes to the other end
    end = adversarial_examples.basic_iterative(model, x, y, 0.2, 5, start)
    torch.testing.assert_close(end, torch.tensor([[0.4], [0.2]]))


def test_pgd_keeps_the_worst_start(adversarial_examples):
    model = lambda x: torch.cat([-10 * (x - 0.5) ** 2, torch.zeros_like(x)], dim=1)
    x, y = torch.full((40, 1), 0.52), torch.zeros(40).long()  # right is worse: 0.72, else 0.32
    torch.manual_seed(0)
    shares = [
        (adversarial_examples.pgd(model, x, y, 0.2, 10, n_starts) > 0.7).double().mean().item()
        for n_starts in (1, 8)
    ]
    assert 0.3 < shares[0] < 0.8 and shares[1] > 0.9
    ends = adversarial_examples.pgd(model, x, y, 0.2)
    assert ((ends - 0.72).abs().minimum((ends - 0.32).abs()) < 1e-5).all()


def test_box_has_a_tolerance_and_pairs_are_chosen(adversarial_examples):
    x = torch.tensor([0.0, 0.5, 1.0])
    for moved in (x - 5e-7, x + 5e-7):
        assert adversarial_examples.within(moved, x, 0) and not adversarial_examples.within(
            4 * moved - 3 * x, x, 0
        )
    for outside in ([0.0, 0.5, 1.00001], [-0.00001, 0.5, 1.0]):
        assert not adversarial_examples.within(torch.tensor(outside), x, 1)
    images, labels = torch.rand(6, 28, 28), torch.tensor([1, 2, 3, 0, 3, 9])
    pixels, is_dress = adversarial_examples.two_classes(images, labels, 28)
    assert is_dress.tolist() == [0, 1, 1] and torch.equal(pixels, images[[0, 2, 4]].flatten(1).double())


def test_photos_are_normalised_inside_the_model(adversarial_examples):
    from torchvision.transforms import functional as TF

    module = adversarial_examples
    normalised = TF.normalize(module.photos, module.preprocess.mean, module.preprocess.std)
    with torch.no_grad():
        expected, ours = module.net(normalised), module.imagenet(module.photos)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_project_is_the_nearest_point(adversarial_examples):
    x = torch.tensor([0.0, 0.5, 0.5, 0.95, 0.5])
    changed = torch.tensor([-1.0, 0.9, 0.1, 1.2, 0.55])
    expected = torch.tensor([0.0, 0.6, 0.4, 1.0, 0.55])
    torch.testing.assert_close(adversarial_examples.project(changed, x, 0.1), expected)


def test_noise_is_a_coin_of_the_same_size(adversarial_examples):
    torch.manual_seed(0)
    moves = adversarial_examples.coin_noise(torch.full((1000,), 0.5), 0.1) - 0.5
    torch.testing.assert_close(moves.abs(), torch.full((1000,), 0.1))
    assert abs(moves.mean().item()) < 4 * 0.1 / 1000**0.5


def test_small_steps_are_as_predicted_and_large_ones_worse(adversarial_examples):
    ratios = adversarial_examples.rise_ratios
    assert abs(ratios[0.001] - 1) < 0.05 and ratios[0.1] > 1.3


def test_the_attack_hurts_and_noise_does_not(adversarial_examples):
    sweep = {name: rows[:, 3].mean() for name, rows in adversarial_examples.sweep.items()}
    assert sweep["PGD"] - 0.01 < sweep["iterated"] < sweep["FGSM"] < sweep["transfer"] < sweep["noise"] - 0.2
    assert adversarial_examples.epsilons[3] == 0.1 and sweep["FGSM"] < 0.3
    for rows in adversarial_examples.sweep.values():
        assert rows.shape == (3, 4) and (rows[:, 0] > 0.75).all()


def test_adversarial_training_costs_and_saves(adversarial_examples):
    standard, robust = (adversarial_examples.defence[name].mean(axis=0) for name in ("standard", "robust"))
    assert robust[0] < standard[0] and robust[2] > standard[2] + 0.3 and robust[3] < 0.1
    assert adversarial_examples.own_attack > adversarial_examples.other_attack + 0.5


# 10.7 model_costs


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("kernel_size, stride, padding", [((3, 2), 2, 1), (1, (3, 1), 0), (5, 1, 4)])
def test_multiply_adds_match_the_flop_counter(model_costs, groups, kernel_size, stride, padding):
    for build in (nn.Conv2d, nn.ConvTranspose2d):
        layer = build(6, 12, kernel_size, stride, padding, groups=groups)
        with FlopCounterMode(display=False) as counter:
            bill = model_costs.bill_of(nn.Sequential(layer), torch.zeros(2, 6, 11, 7))
        assert 2 * bill[0]["multiply_adds"] == counter.get_total_flops() > 0
        kind = "depthwise" if groups == 6 else "1×1" if kernel_size == 1 else "k×k"
        assert bill[0]["kind"] == kind


def test_bill_counts_calls_twice_and_parameters_once(model_costs):
    layer = nn.Linear(5, 5)
    bill = model_costs.bill_of(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(3, 5))
    assert [row["kind"] for row in bill] == ["linear", "activation", "linear"]
    assert model_costs.total(bill, "multiply_adds") == 2 * 3 * 25
    assert model_costs.total(bill, "parameters") == 30
    assert model_costs.total(bill, "bytes", "linear") == 2 * 4 * 60
    assert [row["bytes"] for row in bill] == [4 * (15 + 15 + 30), 4 * 30, 4 * 60]
    half = model_costs.bill_of(
        nn.Sequential(layer).to(torch.bfloat16), torch.zeros(3, 5, dtype=torch.bfloat16)
    )
    assert half[0]["bytes"] == 2 * 60 and half[0]["name"] == "0"


@pytest.mark.parametrize(
    "layer, kind",
    [
        (nn.Conv2d(2, 4, 3, groups=2), "depthwise"),  # two channels are the fewest
        (nn.Conv2d(1, 4, 3), "k×k"),  # one channel is no depthwise convolution
        (nn.Conv2d(4, 4, 3, groups=2), "k×k"),
        (nn.Conv2d(4, 8, 1), "1×1"),
        (nn.Conv2d(4, 8, (1, 3)), "k×k"),
        (nn.ConvTranspose2d(3, 3, 2, groups=3), "depthwise"),
        (nn.Conv1d(4, 8, 1), "1×1"),
        (nn.Linear(1, 1), "linear"),
        (nn.LayerNorm(3), "norm"),
        (nn.ReLU6(), "activation"),
        (nn.AdaptiveAvgPool2d(1), "pool"),
        (nn.Flatten(), "other"),
    ],
)
def test_each_layer_has_its_kind(model_costs, layer, kind):
    assert model_costs.kind_of(layer) == kind


def test_bill_counts_shared_weights_once(model_costs):
    one, other = nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False)
    other.weight = one.weight
    bill = model_costs.bill_of(nn.Sequential(one, other), torch.zeros(1, 5))
    assert [row["parameters"] for row in bill] == [25, 0] and [row["bytes"] for row in bill] == [140, 140]


def test_every_kind_has_its_line(model_costs):
    model = nn.Sequential(nn.BatchNorm2d(2), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(8))
    bill = model_costs.bill_of(model.eval(), torch.zeros(1, 2, 4, 4))
    assert [row["kind"] for row in bill] == ["norm", "activation", "pool", "other", "norm"]
    assert model_costs.total(bill, "multiply_adds") == 0


def test_a_layer_without_a_rule_is_named(model_costs):
    with pytest.raises(ValueError, match="0, a Bilinear"):
        model = nn.Sequential(nn.Bilinear(2, 2, 1))
        model.forward = lambda x: model[0](x, x)
        model_costs.bill_of(model, torch.zeros(1, 2))
    assert not model[0]._forward_hooks  # taken away in spite of the error
    attention = nn.TransformerEncoderLayer(4, 2, 8).eval()  # it works on weights without calling their layers
    with pytest.raises(ValueError, match="no layer's call used self_attn.in_proj_weight"):
        model_costs.bill_of(attention, torch.zeros(3, 1, 4))


@pytest.mark.parametrize("inplace", [False, True])
def test_kept_bytes_by_hand(model_costs, inplace):
    model = nn.Sequential(
        *(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=inplace), nn.Flatten(), nn.Linear(45, 3)),
    )
    x = torch.randn(7, 2, 5, 5)
    maps = (
        7 * 5 * 9
    )  # before the norm, and after the ReLU; the norm also keeps a mean and a spread per channel
    assert model_costs.kept_bytes(model, x) == 4 * (x.numel() + maps + 2 * 5 + maps)
    assert model_costs.training_bytes(10, 3.5, 4) == 160 + 14
    assert model_costs.training_bytes(10, 3.5, 4, n_averages=0) == 80 + 14


def test_pareto_front_on_a_hand_made_case(model_costs):
    cost = {"a": 1, "b": 2, "c": 2, "d": 3, "twin": 1}
    gain = {"a": 5, "b": 7, "c": 6, "d": 7, "twin": 5}
    assert model_costs.pareto_front(cost, gain) == ["a", "b", "twin"]
    with pytest.raises(ValueError, match="'d'"):
        model_costs.pareto_front({"a": 1}, {"d": 1})


def test_least_work_keeps_most(model_costs):
    kept, work = model_costs.kept, model_costs.n_work
    assert kept["MobileNetV2"] > 3 * kept["ResNet-18"] and work["MobileNetV2"] < work["ResNet-18"] / 6


# 10.8 model_profiling


@pytest.mark.parametrize("sample", [[3.0], [2, 1], [5, 1, 4, 1, 9, 2, 6]])
def test_percentile_matches_numpy(model_profiling, sample):
    for q in (0, 12.5, 50, 90, 99, 100):
        assert model_profiling.percentile(sample, q) == pytest.approx(np.percentile(sample, q), rel=1e-12)


@pytest.mark.parametrize("sample, q", [([], 50), ([1], 101), ([1], -1)])
def test_percentile_names_the_fault(model_profiling, sample, q):
    with pytest.raises(ValueError, match=f"percentile {q} of {len(sample)}"):
        model_profiling.percentile(sample, q)


def test_stopwatch_counts_its_calls(model_profiling):
    calls, model = [], nn.Linear(2, 2)
    model.register_forward_hook(lambda *_: calls.append(model.training))
    started = time.perf_counter()
    first, times = model_profiling.latencies(model, torch.zeros(1, 2), n=4)
    passed = time.perf_counter() - started
    assert len(times) == 4 and len(calls) == 5 and not any(calls) and min(first, *times) > 0
    assert first + sum(times) < passed  # durations, not times of the day


def test_profile_counts_every_kind(model_profiling):
    model = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 2, groups=4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(4 * 2 * 3, 1)),
    ).eval()
    ranges, prof = model_profiling.profile_by_kind(model, torch.randn(2, 2, 5, 6))
    n_calls = model_profiling.N_SKIPPED + model_profiling.N_RECORDED
    once = {kind: n // n_calls for kind, n in ranges.calls.items()}
    assert once == dict.fromkeys(("convolution", "BatchNorm2d", "depthwise", "ReLU", "Flatten", "Linear"), 1)
    by_hand = {"convolution": 2 * 4 * 12 * 18, "depthwise": 2 * 4 * 6 * 4, "Linear": 2 * 1 * 24}
    assert {kind: n // n_calls for kind, n in ranges.work.items()} == by_hand
    counts = {event.key: event.count for event in prof.key_averages()}
    assert counts["aten::conv2d"] == 2 * model_profiling.N_RECORDED
    assert counts["kind: depthwise"] == model_profiling.N_RECORDED
    allocated = {event.key: event.self_cpu_memory_usage for event in prof.key_averages()}
    assert max(allocated.values()) > 0  # the memory column is filled
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model)


def test_work_is_what_the_weights_entries_publish(model_profiling):
    published = {"AlexNet": 0.714, "SqueezeNet 1.1": 0.349, "MobileNetV2": 0.301, "ResNet-18": 1.814}
    for name, value in published.items():
        assert round(model_profiling.multiply_adds[name] / 1e9, 3) == value
    assert model_profiling.parameters["ResNet-18"] == 11_689_512


# numbers of every kind


SPOTS, THEIR_MAP = (np.random.default_rng(0).integers(0, 5, s).astype(float) for s in [(9, 4), (9, 2)])
PAIRS = 1 - np.eye(9)


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("feature_maps", lambda m, x: m.squared_distances(x), [SPOTS]),
        ("feature_maps", lambda m, x: m.neighbors(x, 3), [SPOTS]),
        ("feature_maps", lambda m, x: np.abs(m.principal_components(x, 2)[0]), [SPOTS]),
        ("feature_maps", lambda m, x: m.neighbor_probabilities(x, 3), [SPOTS]),
        ("feature_maps", lambda m, p, y: m.tsne_gradient(p / p.sum(), y), [PAIRS, THEIR_MAP]),
        ("model_profiling", lambda m, x: m.percentile(x, 30), [SPOTS[:, 0]]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory; maps are computed in float64."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays, float32=False)


# photos of one's own


PHOTO_LESSONS = (
    "filters_and_activations activation_maximization grad_cam attribution_checks adversarial_examples"
)


@pytest.mark.parametrize("stem", PHOTO_LESSONS.split())
@pytest.mark.parametrize("kind, file", [("RGB", "a.png"), ("RGBA", "a.png"), ("L", "a.png"), ("L", "a.jpg")])
def test_another_kind_of_photo_is_named(lesson, tmp_path, stem, kind, file):
    """The cell that loads the photos is run again, and finds a PNG or a grey photo in their place."""
    m = lesson(stem)
    with open(m.__file__, encoding="utf-8") as text:
        cell = next(cell for cell in text.read().split("# %%\n") if "plt.imread(" in cell)
    Image.new(kind, (320, 240)).save(tmp_path / file)
    photo = plt.imread(tmp_path / file)
    with pytest.raises(ValueError, match=r"8-bit RGB picture, got \w+ \(240, 320.*2.1 says how"):
        exec(cell, vars(m) | {"plt": SimpleNamespace(imread=lambda path: photo)})


# settings at the edge


@pytest.fixture
def thirty_images(monkeypatch):
    """`thirty_images(module)`: lets the lesson's training see the first thirty images only."""

    def cut(module):
        for name in ("train_images", "train_labels"):
            monkeypatch.setattr(module, name, getattr(module, name)[:30])
        if hasattr(module, "clothes"):
            few = torch.utils.data.TensorDataset(module.train_images[:, None], module.train_labels)
            monkeypatch.setattr(module, "clothes", few)
        return module

    return cut


TINY = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
TINY_CLASSES = torch.arange(3)
MEAN_OF_EACH = lambda images: images.mean(dim=(1, 2, 3))
ASCENT = (MEAN_OF_EACH, TINY)
LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
ATTACKED = (LINEAR, TINY, TINY_CLASSES)


def weights(model):
    return torch.cat([w.detach().flatten() for w in model.parameters()])


@pytest.mark.parametrize(
    "stem, call",
    [
        ("filters_and_activations", lambda m: weights(m.train(0, n_epochs=0))),
        ("filters_and_activations", lambda m: weights(m.train(0, n_epochs=2))),
        ("activation_maximization", lambda m: weights(m.train(0, n_steps=0))),
        ("activation_maximization", lambda m: weights(m.train(0, n_steps=2))),
        ("activation_maximization", lambda m: m.ascend(*ASCENT, 0, 0.1, 0.0, 1.0)),
        ("activation_maximization", lambda m: m.ascend(*ASCENT, 2, 100.0, 0.0, 1.0)),
        ("activation_maximization", lambda m: m.ascend_with_rules(*ASCENT, 2, 0.0, 0, 1, m.rng, jitter=0)),
        ("activation_maximization", lambda m: m.ascend_with_rules(*ASCENT, 2, 1e2, 0, 1, m.rng, jitter=99)),
        ("feature_maps", lambda m: weights(m.train(0, n_steps=0))),
        ("feature_maps", lambda m: m.tsne((1 - np.eye(3)) / 6, np.eye(3)[:, :2], n_steps=0)[0]),
        ("feature_maps", lambda m: m.tsne((1 - np.eye(3)) / 6, np.eye(3)[:, :2], 1, 0.0)[0]),
        ("grad_cam", lambda m: weights(m.train(TINY, TINY_CLASSES % 2, n_steps=0))),
        ("grad_cam", lambda m: weights(m.train(TINY[:1], TINY_CLASSES[:1], n_steps=2))),
        ("attribution_checks", lambda m: weights(m.train(0, n_epochs=0))),
        ("attribution_checks", lambda m: weights(m.train(0, n_epochs=1))),
        ("attribution_checks", lambda m: m.smooth_grad(*ATTACKED, n_samples=1, spread=0.0)),
        ("adversarial_examples", lambda m: weights(m.train(0, n_epochs=0))),
        ("adversarial_examples", lambda m: weights(m.train(0, epsilon=0.1, n_epochs=1))),
        ("adversarial_examples", lambda m: m.basic_iterative(*ATTACKED, 0.1, n_steps=0)),
        ("adversarial_examples", lambda m: m.targeted(*ATTACKED, 0.1, n_steps=0)),
        ("adversarial_examples", lambda m: m.pgd(*ATTACKED, 0.1, n_steps=0, n_starts=1)),
        ("adversarial_examples", lambda m: m.pgd(*ATTACKED, 0.1, n_starts=0)),
    ],
)
def test_training_takes_settings_at_the_edge(lesson, thirty_images, stem, call):
    """Also a batch that does not divide the thirty images, or is larger than they are."""
    found = torch.as_tensor(call(thirty_images(lesson(stem))))
    assert found.numel() > 0 and found.isfinite().all()


@pytest.mark.parametrize(
    "stem, call, names",
    [
        ("filters_and_activations", lambda m: m.occlusion_map(LINEAR, TINY[0], 0, 5, stride=0), "stride"),
        ("filters_and_activations", lambda m: m.occlusion_map(LINEAR, TINY[0], 0, 5, batch_size=0), "and 0"),
        ("activation_maximization", lambda m: m.blur(TINY, 0.0), "sigma"),
        ("feature_maps", lambda m: m.principal_components(np.eye(5)[:, :3], 4), "4 directions.* 3 dim"),
        ("feature_maps", lambda m: m.principal_components(np.eye(5)[:, :3], 0), "0 directions"),
        ("feature_maps", lambda m: m.agreement(np.eye(5), np.arange(5), 0), "0 neighbours among 5"),
        ("attribution_checks", lambda m: m.integrate(np.sin, np.ones(2), np.zeros(2), 0), "n_steps = 0"),
        ("attribution_checks", lambda m: m.integrated_gradients(*ATTACKED, n_steps=0), "n_steps = 0"),
        ("attribution_checks", lambda m: m.smooth_grad(*ATTACKED, n_samples=0), "n_samples = 0"),
    ],
)
def test_settings_that_cannot_be_taken_are_named(lesson, stem, call, names):
    with pytest.raises(ValueError, match=names):
        call(lesson(stem))


# benchmarks: 10.1 occlusion map


@pytest.mark.benchmark(group="occlusion map of a photo, SqueezeNet, 25 squares of 64 pixels, float32")
@pytest.mark.parametrize("implementation", ["one by one", "batches of 5", "batches of 25"])
def test_occlusion_map_speed(filters_and_activations, timed, device, implementation):
    module = filters_and_activations
    network, x = module.pretrained().to(device), module.photos["coffee"].to(device)
    category, settings = module.categories.index("espresso"), (64, 40)
    with torch.no_grad():
        expected = module.occlusion_loops(network, x, category, *settings)
        if implementation == "one by one":
            ours = timed(module.occlusion_loops, network, x, category, *settings)
        else:
            batch_size = int(implementation.rpartition(" ")[2])
            ours = timed(module.occlusion_map, network, x, category, *settings, batch_size)
    torch.testing.assert_close(ours.cpu(), expected, rtol=1e-3, atol=1e-4)


# benchmarks: 10.4 Grad-CAM


@pytest.mark.benchmark(group="Grad-CAM of features[12], SqueezeNet, 224 pixels, float32")
@pytest.mark.parametrize("implementation", ["graph from the pixels", "graph from the layer"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_grad_cam_speed(grad_cam, timed, device, implementation, batch_size):
    network = copy.deepcopy(grad_cam.scores).to(device)
    layer = network[0][12]
    images = grad_cam.photos["coffee"].repeat(batch_size, 1, 1, 1).to(device)
    classes = torch.full((batch_size,), grad_cam.espresso, device=device)

    fast = implementation == "graph from the layer"
    heats = timed(grad_cam.grad_cam_fast if fast else grad_cam.grad_cam, network, layer, images, classes)
    expected = grad_cam.grad_cam(grad_cam.scores, grad_cam.net.features[12], grad_cam.x, [grad_cam.espresso])
    torch.testing.assert_close(heats.cpu(), expected.expand(batch_size, -1, -1), rtol=1e-3, atol=1e-4)


# benchmarks: 10.6 FGSM step


@pytest.mark.parametrize(
    "batch_size",
    [
        pytest.param(n, marks=pytest.mark.benchmark(group=f"FGSM step on SqueezeNet, batch {n}, float32"))
        for n in (1, 8)
    ],
)
@pytest.mark.parametrize("implementation", ["torch, channels first", "torch, channels last"])
def test_fgsm_speed(adversarial_examples, timed, device, batch_size, implementation):
    net = copy.deepcopy(adversarial_examples.net).to(device, memory_format=torch.contiguous_format)
    x = adversarial_examples.photos[:1].contiguous().to(device).expand(batch_size, -1, -1, -1).contiguous()
    y = torch.zeros(batch_size, dtype=torch.int64, device=device)
    expected = adversarial_examples.fgsm(net, x[:1], y[:1], 0.01)
    if implementation.endswith("last"):
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    flops = batch_size * 2 * 2 * 349_151_936  # forward, and as much again for the input's gradient
    changed = timed(adversarial_examples.fgsm, net, x, y, 0.01, flops=flops)
    assert adversarial_examples.within(changed, x, 0.01)
    assert (changed[:1] == expected).float().mean().item() > 0.9  # a gradient near zero may take either sign


# benchmarks: 10.8 inference latency

ON_THE_CPU = {("SqueezeNet 1.1", 1), ("SqueezeNet 1.1", 8), ("MobileNetV2", 1), ("ResNet-18", 1)}
LATENCIES = [
    pytest.param(name, n, marks=pytest.mark.benchmark(group=f"inference, {name}, batch {n}, float32"))
    for name in ("SqueezeNet 1.1", "MobileNetV2", "ResNet-18", "ResNet-50", "VGG-16")
    for n in ((1, 8, 32) if name == "SqueezeNet 1.1" else (1, 32))
]


@pytest.mark.parametrize("name, batch_size", LATENCIES)
@pytest.mark.parametrize("implementation", ["channels first", "channels last", "channels last, compiled"])
def test_inference_speed(model_profiling, timed, device, compiled, name, batch_size, implementation):
    if device.type == "cpu" and ((name, batch_size) not in ON_THE_CPU or "compiled" in implementation):
        pytest.skip("on CUDA only")
    torch.manual_seed(0)
    model = model_profiling.networks[name]().eval().to(device)
    x = torch.randn(batch_size, 3, 224, 224).to(device)
    flops = 2 * batch_size * model_profiling.multiply_adds[name]
    with torch.inference_mode():
        expected = model(x[:1])
        layout = model_profiling.layouts[implementation.removesuffix(", compiled")]
        model, x = model.to(memory_format=layout), x.contiguous(memory_format=layout)
        call = compiled(model) if "compiled" in implementation else model
        out = timed(call, x, flops=flops)
    torch.testing.assert_close(out[:1], expected, rtol=1e-2, atol=1e-2 * expected.abs().max().item())
