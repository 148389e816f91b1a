"""Chapter 4: what the lessons computed, and how fast their kernels are."""

import math
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode


@pytest.fixture
def tensor_basics(lesson):
    return lesson("tensor_basics")


@pytest.fixture
def computational_graph(lesson):
    return lesson("computational_graph")


@pytest.fixture
def nn_module(lesson):
    return lesson("nn_module")


@pytest.fixture
def training_cycle(lesson):
    return lesson("training_cycle")


@pytest.fixture
def gpu(lesson):
    return lesson("gpu")


@pytest.fixture
def regression_project(lesson):
    return lesson("regression_project")


@pytest.fixture
def pytorch_project(lesson):
    return lesson("pytorch_project")


TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "tensor_basics": [
        {
            "change": {
                '"first half, repeated": six[:3].broadcast_to(4, 3),': (
                    '"first half, repeated": six[:3].broadcast_to(3, 3).transpose(0, 1),'
                )
            },
            "figure": 1,
        },
        {
            "change": {
                "square = torch.tensor([[1.0, 3.0], [10.0, 30.0]])": (
                    "square = torch.tensor([[1.0, 3.0], [10.0, 30.0], [5.0, 7.0]])"
                )
            },
            "raises": "must match the size of tensor b (3)",
        },
        {
            "add": (
                "windows = StridedTensor(list(range(10)), (8, 3), strides=(1, 1))\n"
                "unfolded = torch.arange(10).unfold(0, 3, 1)\n"
                "assert windows.tolist() == unfolded.tolist()\n"
                "print('windows', windows.shape, windows.strides, unfolded.stride())"
            ),
            "prints": "windows (8, 3) (1, 1) (1, 1)",
        },
    ],
    "computational_graph": [
        {
            "change": {
                "            point -= learning_rate * point.grad": (
                    "            point -= learning_rate * point.grad\n"
                    "            if not zero:\n"
                    "                point.grad *= 0.7"
                )
            },
            "figure": 2,
        },
        {
            "change": {"u.exp().add_(1)": "u.exp().mul_(1)"},
            "prints": "modified by an inplace operation",
        },
        {
            "add": (
                "class Cube(torch.autograd.Function):\n"
                "    @staticmethod\n"
                "    def forward(x):\n"
                "        return x**3\n\n"
                "    @staticmethod\n"
                "    def setup_context(ctx, inputs, output):\n"
                "        ctx.save_for_backward(*inputs)\n\n"
                "    @staticmethod\n"
                "    def backward(ctx, grad_output):\n"
                "        (x,) = ctx.saved_tensors\n"
                "        return grad_output * 3 * x**2\n\n\n"
                "some = torch.randn(5, dtype=torch.float64, requires_grad=True)\n"
                "print('cube', torch.autograd.gradcheck(Cube.apply, some))"
            ),
            "prints": "cube True",
        },
    ],
    "nn_module": [
        {
            "change": {"center = Center(784)": "center = Center(784, momentum=1)"},
            "figure": 1,
        },
        {
            "change": {"n_steps=300, learning_rate=4.0": "n_steps=300, learning_rate=0.0"},
            "prints": "random body",
        },
        {
            "add": (
                "class ModuleList(Module):\n"
                "    def __init__(self, modules):\n"
                "        super().__init__()\n"
                "        for i, module in enumerate(modules):\n"
                "            setattr(self, str(i), module)\n\n"
                "    def __iter__(self):\n"
                "        return (child for _, child in self.children())\n\n\n"
                "listed = ModuleList([Linear(4, 4), Linear(4, 4)])\n"
                "library = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])\n"
                "names = [name for name, _ in listed.named_parameters()]\n"
                "assert names == [name for name, _ in library.named_parameters()]\n"
                "print(names, sum(parameter.numel() for _, parameter in listed.named_parameters()))"
            ),
            "prints": "['0.weight', '0.bias', '1.weight', '1.bias'] 40",
        },
    ],
    "training_cycle": [
        {
            "change": {"nn.Dropout(0.2)": "nn.Dropout(0.0)"},
            "prints": "left out: random      largest difference of a weight 0.0e+00",
        },
        {
            "change": {"        scheduler.step()": "        pass"},
            "prints": "left out: scheduler   largest difference of a weight 0.0e+00",
        },
        {
            "add": (
                "def my_fit(model, optimizer, scheduler, batches, n_epochs):\n"
                "    for _ in range(n_epochs):\n"
                "        model.train()\n"
                "        for pictures, labels in batches:\n"
                "            loss = F.cross_entropy(model(pictures.to(device)), labels.to(device))\n"
                "            optimizer.zero_grad()\n"
                "            loss.backward()\n"
                "            optimizer.step()\n"
                "        scheduler.step()\n\n\n"
                "fewer = torch.utils.data.Subset(train_tensors, range(400))\n"
                "parts = start('hidden layer', 0.2, seed=0, n_epochs=10, examples=fewer)\n"
                "my_fit(*parts, n_epochs=10)\n"
                "my_accuracy = accuracy(evaluate(parts[0], validation, device)[1])\n"
                "print('fewer is worse', 0.6 < my_accuracy < valid_accuracy['hidden layer'][0])"
            ),
            "prints": "fewer is worse True",
        },
    ],
    "gpu": [
        {"change": {"bytes_each=4):": "bytes_each=2):"}, "figure": 2},
        {
            "change": {
                "tiny_gradient(torch.float16, scale=2.0**16)": "tiny_gradient(torch.float16, scale=2.0**43)"
            },
            "prints": "before backward: inf",
        },
        {
            "add": (
                "deep = nn.Sequential(\n"
                "    nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)\n"
                ")\n"
                "measured = saved_bytes(deep, torch.randn(100, 196))\n"
                "print('predicted', 4 * 100 * (196 + 64 + 32), 'measured', measured)"
            ),
            "prints": "predicted 116800 measured 116800",
        },
    ],
    "regression_project": [
        {"change": {"width = 24": "width = 13"}, "prints": "1.298"},
        {"change": {"np.ones(3) / 3": "np.ones(5) / 5"}, "prints": "with the leak"},
        {
            "add": (
                "valid_bias = (roll(forecaster, valid_history, n_steps) - valid_future).mean(axis=0)\n"
                "corrected = forecast - valid_bias\n"
                "held_again = (np.abs(corrected - test_future) <= band).mean(axis=0)\n"
                "print(f'before {held[-1]:.2f}, corrected {held_again[-1]:.2f}')"
            ),
            "prints": "before 0.7",
        },
    ],
    "pytorch_project": [
        {"change": {'    batches.generator.set_state(state["loader"])': "    pass"}, "figure": 1},
        {
            "change": {"        return self.head(x)\n": "        return self.head(x).relu()\n"},
            "prints": "epoch 6",
        },
        {
            "add": (
                'case = "    def test_scores_can_be_negative(self):\\n"\n'
                'case += "        torch.manual_seed(0)\\n"\n'
                'case += "        scores = Classifier(n_hidden=8)(torch.rand(50, 14, 14))\\n"\n'
                'case += "        self.assertLess(scores.min().item(), 0)\\n"\n'
                'write("test_project.py", TEST + "\\n" + case)\n'
                'good_code, _ = run("-m", "unittest")\n'
                'clipped = fixed_model.replace("return self.head(x)", "return self.head(x).relu()")\n'
                'write("model.py", clipped)\n'
                'bad_code, _ = run("-m", "unittest")\n'
                "print('third test', good_code, bad_code)"
            ),
            "prints": "third test 0 1",
        },
    ],
}


# 4.1 tensor_basics: random chains of views, the same for our class and for torch


def assert_same_view(ours, theirs):
    assert ours.shape == tuple(theirs.shape)
    if theirs.numel():  # where nothing is stored, strides and offset lead nowhere
        steps = zip(ours.shape, ours.strides, theirs.stride(), strict=True)
        assert all(a == b for size, a, b in steps if size != 1)  # along size one no step is ever taken
        assert ours.offset == theirs.storage_offset()
    assert ours.is_contiguous() == theirs.is_contiguous()
    assert ours.tolist() == theirs.tolist()
    assert ours.flat() == theirs.flatten().tolist()


def random_view(shape, rng):
    """One view operation that suits `shape`, as a function of a tensor."""
    kind = rng.choice(["slice", "transpose", "reshape", "broadcast"])
    if kind == "slice" and shape:
        key = tuple(slice(int(rng.integers(0, 2)), None, int(rng.choice([1, 1, 2]))) for _ in shape)
        key = (int(rng.integers(-shape[0], shape[0])), *key[1:]) if rng.random() < 0.2 and shape[0] else key
        return lambda t: t[key]
    if kind == "transpose" and shape:
        i, j = (int(axis) for axis in rng.integers(-len(shape), len(shape), size=2))
        return lambda t: t.transpose(i, j)
    if kind == "broadcast" and math.prod(shape) < 100:
        stretched = [int(rng.choice([1, 3])) if size == 1 else size for size in shape]
        new = [int(size) for size in rng.integers(0, 3, size=rng.integers(0, 3))]
        return lambda t: t.broadcast_to(*new, *stretched) if new + stretched else t
    sizes = [part for size in shape for part in ((2, size // 2) if size % 2 == 0 and size else (size,))]
    while len(sizes) > 1 and rng.random() < 0.7:
        first = int(rng.integers(len(sizes) - 1))
        sizes[first : first + 2] = [sizes[first] * sizes[first + 1]]
    return lambda t: t.reshape(*sizes, 1)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (4, 6, 4), (3, 1, 5), (1, 1), (2, 0, 3)])
def test_strided_tensor_matches_torch(tensor_basics, shape):
    rng, size, n_copies = np.random.default_rng(len(shape)), math.prod(shape), 0
    for _ in range(100):
        ours = tensor_basics.ViewTensor(list(range(size)), shape)
        theirs = torch.arange(size).reshape(shape)
        for _ in range(5):
            view = random_view(ours.shape, rng)
            before, same = ours.storage, theirs.untyped_storage().data_ptr()
            ours, theirs = view(ours), view(theirs)
            assert_same_view(ours, theirs)
            if theirs.numel() and size:
                assert (ours.storage is before) == (theirs.untyped_storage().data_ptr() == same)
                n_copies += ours.storage is not before
    assert n_copies > 5 or size < 6


@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (4, 6, 4), (3, 1, 5), (1, 1), (2, 0, 3)])
def test_the_plain_tensor_has_the_same_elements_and_never_shares_less_than_it_says(tensor_basics, shape):
    """Its reshape copies more often than torch's, and is a view exactly if the tensor is contiguous."""
    rng, size, n_views = np.random.default_rng(len(shape)), math.prod(shape), 0
    for _ in range(50):
        ours = tensor_basics.StridedTensor(list(range(size)), shape)
        theirs = torch.arange(size).reshape(shape)
        for _ in range(4):
            view = random_view(ours.shape, rng)
            before = ours
            ours, theirs = view(ours), view(theirs)
            assert type(ours) is tensor_basics.StridedTensor
            assert ours.tolist() == theirs.tolist() and ours.flat() == theirs.flatten().tolist()
            assert ours.shape == tuple(theirs.shape)
            n_views += ours.storage is before.storage
            assert ours.storage is before.storage or not before.is_contiguous()
    assert n_views > 50


@pytest.mark.parametrize("new_shape", [(12,), (2, 6), (6, 2), (3, 4), (1, 12), (2, 2, 3), (12, 1, 1), (4, 3)])
@pytest.mark.parametrize(
    "shape, strides", [((3, 4), (4, 1)), ((3, 4), (1, 3)), ((3, 4), (8, 2)), ((3, 4), (0, 1))]
)
def test_view_strides_match_torch_view(tensor_basics, shape, strides, new_shape):
    ours = tensor_basics.view_strides(shape, strides, new_shape)
    theirs = torch.arange(40).as_strided(shape, strides)
    try:
        assert ours == theirs.view(new_shape).stride()
    except RuntimeError:
        assert ours is None


def test_a_write_shows_in_every_view(tensor_basics):
    ours = tensor_basics.StridedTensor(list(range(24)), (2, 3, 4))
    views = [ours.transpose(0, 2), ours[1:], ours.reshape(6, 4), ours[:, :, :1].broadcast_to(2, 3, 4)]
    ours.storage[12] = -1
    assert [sum(value == -1 for value in view.flat()) for view in views] == [1, 1, 1, 4]


def test_strided_tensor_names_the_shapes(tensor_basics):
    ours = tensor_basics.StridedTensor(list(range(6)), (2, 3))
    with pytest.raises(ValueError, match=r"5 numbers.*\(2, 3\)"):
        tensor_basics.StridedTensor(list(range(5)), (2, 3))
    with pytest.raises(ValueError, match=r"\(2, 3\) to \(4, 2\)"):
        ours.reshape(4, 2)
    for target in [(2, 4), (3,), (3, 2)]:
        with pytest.raises(ValueError, match=r"\(2, 3\) does not broadcast"):
            ours.broadcast_to(*target)
    with pytest.raises(ValueError, match="got -1"):
        ours[::-1]
    for key in [2, -3, (0, 3), (0, 0, 0)]:
        with pytest.raises(IndexError):
            ours[key]
    assert ours[-1, -3].tolist() == 3


def test_the_tour_of_operations_says_what_numpy_says(tensor_basics):
    t = tensor_basics
    scores, labels = t.scores.numpy(), t.labels.numpy()
    np.testing.assert_array_equal(t.answers, scores.argmax(axis=1))
    np.testing.assert_array_equal(t.top_classes, np.argsort(-scores, axis=1)[:, :2])
    np.testing.assert_array_equal(t.top_scores, np.sort(scores, axis=1)[:, :1:-1])
    np.testing.assert_array_equal(t.right_scores, np.take_along_axis(scores, labels[:, None], axis=1))
    np.testing.assert_array_equal(t.without_class_1, np.where(np.arange(4) == 1, -np.inf, scores))
    np.testing.assert_array_equal(t.positive, np.where(scores > 1, scores, 0))
    np.testing.assert_array_equal(t.stacked, np.stack([scores, scores]))
    np.testing.assert_array_equal(t.joined, np.concatenate([scores, scores]))
    np.testing.assert_array_equal(t.channels_last, t.stacked.numpy().transpose(1, 2, 0))
    np.testing.assert_allclose(t.class_means.mean(dim=(1, 2)), t.ink, rtol=1e-5)


def test_a_view_sees_a_change_and_a_copy_does_not(tensor_basics):
    expected = ["grid[1:]", "grid[:, None]", "grid[..., -1]", "torch.from_numpy(a)"]
    assert [name for name, shared in tensor_basics.shares_memory.items() if shared] == expected
    assert len(tensor_basics.shares_memory) == 8


def test_views_of_a_picture_share_its_memory(tensor_basics):
    pointer = tensor_basics.image.data_ptr()
    for view in (tensor_basics.mirrored, tensor_basics.thinned, tensor_basics.patches):
        assert view.data_ptr() == pointer
    assert tensor_basics.listed.data_ptr() != pointer
    image = tensor_basics.image
    torch.testing.assert_close(tensor_basics.mirrored, torch.from_numpy(image.numpy().T.copy()))
    torch.testing.assert_close(tensor_basics.thinned, torch.from_numpy(image.numpy()[::2, ::2].copy()))
    torch.testing.assert_close(tensor_basics.patches[2, 1], image[14:21, 7:14])
    torch.testing.assert_close(tensor_basics.listed[9], image[14:21, 7:14])


# 4.2 computational_graph


def random_expression(seed, leaves):
    """A scalar made of operations on results picked from all earlier ones: many are used more than once."""
    rng, pool = np.random.default_rng(seed), list(leaves)
    for _ in range(20):
        a, b = (pool[i] for i in rng.integers(len(pool), size=2))
        choices = (
            a + b,
            a * b.tanh(),
            a / (b * b + 1),
            (a - 0.5 * b).relu(),
            torch.exp(-a * a) + b,
            2 - a.sin(),
        )
        pool.append(choices[rng.integers(len(choices))])
    return sum(pool[2:]).sum()


@pytest.mark.parametrize("shape", [(), (1,), (3, 2)])
@pytest.mark.parametrize("seed", range(5))
def test_our_backward_matches_backward(computational_graph, shape, seed):
    torch.manual_seed(seed)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    random_expression(seed, leaves).backward()
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    computational_graph.our_backward(random_expression(seed, leaves))
    for leaf, grad in zip(leaves, expected):
        torch.testing.assert_close(leaf.grad, grad, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        computational_graph.our_backward(torch.ones(2, requires_grad=True) * 2)


def test_graph_nodes_list_each_node_once_after_its_parents(computational_graph):
    leaves = [torch.randn((), requires_grad=True) for _ in range(2)]
    nodes = computational_graph.graph_nodes(random_expression(0, leaves))
    assert len(set(nodes)) == len(nodes) > 20
    for i, node in enumerate(nodes):
        assert all(parent is None or parent in nodes[:i] for parent, _ in node.next_functions)


def test_drawing_places_every_node(computational_graph):
    import matplotlib.pyplot as plt

    u, v = (torch.ones((), requires_grad=True) for _ in range(2))
    fig, ax = plt.subplots()
    computational_graph.draw_graph((u * v).exp() + u, {"u": u, "v": v}, ax)
    places = {text.get_text(): text.get_position() for text in ax.texts if text.get_text()}
    plt.close(fig)
    expected = {"leaf u": (0, 0), "leaf v": (0, -1), "Mul": (1, -0.5), "Exp": (2, -0.5), "Add": (3, -0.25)}
    assert places == expected
    assert len(ax.texts) == 5 + 5  # five boxes and five arrows
    assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > 3 and ax.get_ylim()[0] < -1 and ax.get_ylim()[1] > 0


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5)])
def test_softplus_matches_the_library(computational_graph, shape):
    torch.manual_seed(0)
    ours = (20 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    cotangent = torch.randn(shape, dtype=torch.float64)
    out, expected = computational_graph.Softplus.apply(ours), F.softplus(theirs, threshold=1e3)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
    (out * cotangent).sum().backward()
    (expected * cotangent).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softplus_is_finite_far_out(computational_graph, dtype):
    x = torch.tensor([-1e4, 0.0, 1e4], dtype=dtype, requires_grad=True)
    out = computational_graph.Softplus.apply(x)
    out.sum().backward()
    assert out.tolist() == pytest.approx([0, math.log(2), 1e4]) and x.grad.tolist() == [0, 0.5, 1]


def test_outcome_tells_errors_from_none(computational_graph):
    assert computational_graph.outcome(lambda: None) == "no error"
    assert computational_graph.outcome(lambda: 1 + None).startswith("TypeError: unsupported operand")

    def two_sentences():
        raise RuntimeError("first. second. third")

    assert computational_graph.outcome(two_sentences) == "RuntimeError: first"
    with pytest.raises(KeyError):
        computational_graph.outcome(lambda: {}["key"])


def test_train_matches_torch_and_each_mistake_shows(computational_graph):
    losses, weights = computational_graph.train(5, 0.3)
    x, y = computational_graph.pixels, computational_graph.labels
    expected, model = [], [weight.detach().requires_grad_() for weight in computational_graph.fresh_weights()]
    assert [tuple(weight.shape) for weight in model] == [(32, 196), (10, 32)]
    for _ in range(5):
        hidden = torch.tanh(x @ model[0].T)  # (500, 196) @ (196, 32) -> (500, 32)
        loss = F.cross_entropy(hidden @ model[1].T, y)  # (500, 32) @ (32, 10) -> (500, 10)
        expected.append(loss.item())
        grads = torch.autograd.grad(loss, model)
        model = [(weight - 0.3 * grad).detach().requires_grad_() for weight, grad in zip(model, grads)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(weights, model):
        torch.testing.assert_close(ours, theirs)

    curves = computational_graph.curves
    assert len(curves["right"]) == 150 and np.all(np.diff(curves["right"]) < 0)
    assert set(np.diff(curves["weights replaced"])) == {0}
    assert curves["no zero_grad"][-1] < curves["right"][-1] < curves["hidden layer detached"][-1]


def test_descend_matches_the_closed_form(computational_graph):
    step = np.eye(2) - 0.1 * computational_graph.A.numpy()
    expected = [np.linalg.norm(np.linalg.matrix_power(step, n) @ [1, -2]) for n in range(80)]
    np.testing.assert_allclose(computational_graph.arrives, expected, rtol=1e-10)
    np.testing.assert_allclose(computational_graph.circles[:2], expected[:2], rtol=1e-10)
    position, total = np.array([1.0, -2.0]), 0.0
    for distance in computational_graph.circles:
        np.testing.assert_allclose(distance, np.linalg.norm(position), rtol=1e-9)
        total = total + computational_graph.A.numpy() @ position
        position = position - 0.1 * total
    assert min(computational_graph.circles) > 0.05


@pytest.mark.parametrize("value", [1e-3, 1.0, 3.0, 1e9])
def test_heron_gives_root_and_slope(computational_graph, value):
    a = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    root = computational_graph.heron(a)
    assert root.item() == pytest.approx(math.sqrt(value), rel=1e-10)
    if value == 1.0:  # nothing was computed: ones_like(a) is no function of a
        assert not root.requires_grad
    else:
        root.backward()
        assert a.grad.item() == pytest.approx(0.5 / math.sqrt(value), rel=1e-8)


@pytest.mark.parametrize("n_losses", [1, 7])
def test_only_a_graph_without_backward_keeps_saved_tensors(computational_graph, n_losses):
    alive = computational_graph.alive_with_kept_losses
    after, saved = alive(call_backward=True, detach=False, n_losses=n_losses)
    assert after == 0 and saved >= 2 * n_losses
    assert alive(call_backward=False, detach=False, n_losses=n_losses) == (saved, saved)
    assert alive(call_backward=False, detach=True, n_losses=n_losses) == (0, saved)


def test_the_table_of_modes_says_what_torch_does(computational_graph):
    t, x = computational_graph, torch.ones(1, 3, requires_grad=True)
    double = nn.Linear(3, 2)
    assert [way(double, x).requires_grad for way in t.ways.values()] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert t.under_inference_mode(double, x).is_inference() and not t.under_no_grad(double, x).is_inference()
    assert not double.training  # after_eval came last
    assert [name for name, row in t.table.items() if row[0]] == [
        "nothing special",
        "retain_graph=True",
        "eval()",
    ]


def test_gradient_lengths_match_autograd(computational_graph):
    lengths = computational_graph.gradient_lengths(n_layers=2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 64, generator=generator)
    first, second = (0.1 * torch.randn(64, 64, generator=generator) for _ in range(2))
    hidden = torch.tanh(x @ first.T).requires_grad_()
    top = torch.tanh(hidden @ second.T)
    (grad,) = torch.autograd.grad(top.square().sum(), hidden)
    assert list(lengths) == [2, 1]
    assert lengths[1] == pytest.approx(grad.norm().item(), rel=1e-5)
    assert lengths[2] == pytest.approx((2 * top).norm().item(), rel=1e-5)


# 4.3 nn_module


def library_and_ours(nn_module):
    """The same nesting on both boxes, deeper than the lesson's, with the same random float64 values."""
    torch.manual_seed(0)
    sizes = (12, 5, 1, 7)
    theirs = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(12, 5), nn_module.TorchCenter(5, momentum=0.3), nn.ReLU(), nn.Linear(5, 1)),
        nn.Sequential(nn.Sequential(nn.Linear(1, 7))),
    ).double()
    m = nn_module
    ours = m.Sequential(
        m.Flatten(),
        m.Sequential(m.Linear(*sizes[:2]), m.Center(5, momentum=0.3), m.ReLU(), m.Linear(*sizes[1:3])),
        m.Sequential(m.Sequential(m.Linear(*sizes[2:]))),
    ).double()
    nn.init.normal_(theirs[1][1].running_mean)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_own_module_lists_what_nn_module_lists(nn_module):
    ours, theirs = library_and_ours(nn_module)
    for method in ("named_parameters", "named_buffers"):
        mine, library = ([(n, t.shape) for n, t in getattr(box, method)()] for box in (ours, theirs))
        assert mine == library
    assert {n: t.shape for n, t in ours.state_dict().items()} == {
        n: t.shape for n, t in theirs.state_dict().items()
    }
    assert not any(tensor.requires_grad for tensor in ours.state_dict().values())


@pytest.mark.parametrize("batch_size", [1, 2, 7])
@pytest.mark.parametrize("training", [True, False])
def test_own_layers_match_the_library(nn_module, batch_size, training):
    ours, theirs = library_and_ours(nn_module)
    assert ours.train(training) is ours
    theirs.train(training)
    x = torch.randn(batch_size, 3, 4, dtype=torch.float64)
    for _ in range(2):
        cotangent = torch.randn(batch_size, 7, dtype=torch.float64)
        results = [box(x) for box in (ours, theirs)]
        torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)
        for result in results:
            (result * cotangent).sum().backward()
    pairs = [(a.grad, b.grad) for (_, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True)]
    pairs += [(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items()]
    for mine, library in pairs:
        torch.testing.assert_close(mine, library, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch_size", [2, 5])
def test_center_keeps_the_mean_that_batch_norm_keeps(nn_module, batch_size):
    torch.manual_seed(0)
    ours = nn_module.Center(3, momentum=0.25).double()
    theirs = nn.BatchNorm1d(3, affine=False, momentum=0.25).double()
    for _ in range(4):
        x = torch.randn(batch_size, 3, dtype=torch.float64) + 2
        torch.testing.assert_close(ours(x), x - x.mean(dim=0))
        theirs(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=1e-10, atol=1e-12)
    assert nn_module.Center(3).momentum == theirs.__class__(3).momentum == 0.1


@pytest.mark.parametrize("n_in, n_out", [(1, 1), (7, 3), (784, 32)])
def test_linear_starts_as_the_library_does(nn_module, n_in, n_out):
    torch.manual_seed(1)
    ours = nn_module.Linear(n_in, n_out)
    torch.manual_seed(1)
    theirs = nn.Linear(n_in, n_out)
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_load_state_dict_names_what_does_not_fit(nn_module):
    ours, theirs = library_and_ours(nn_module)
    state = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    with pytest.raises(ValueError, match=r"missing \['1.0.bias'\], unexpected \['other'\]"):
        ours.load_state_dict({"other" if n == "1.0.bias" else n: t for n, t in state.items()})
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(ValueError, match=r"2.0.0.weight has shape \(7, 1\), not \(1, 7\)"):
        ours.load_state_dict({n: t.mT + 1 if n == "2.0.0.weight" else t + 1 for n, t in state.items()})
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())  # untouched
    held = dict(ours.named_parameters())["1.0.weight"]
    ours.load_state_dict({name: tensor + 1 for name, tensor in state.items()})
    torch.testing.assert_close(held.detach(), state["1.0.weight"] + 1)  # an optimizer's tensor moved along


def test_forgetting_eval_spoils_small_batches_and_the_model(nn_module):
    assert nn_module.forgotten[0] < 0.2 < 0.5 < nn_module.forgotten[1] < nn_module.forgotten[-1]
    assert max(nn_module.in_use) - min(nn_module.in_use) < 0.005
    library = nn_module.TorchClassifier(n_hidden=32)
    library.load_state_dict(nn_module.trained)
    scores = library.eval()(nn_module.valid_images)
    expected = (scores.argmax(dim=1) == nn_module.valid_labels).float().mean().item()
    assert nn_module.in_use[2] == pytest.approx(expected, abs=0.005)


def test_a_frozen_body_keeps_its_parameters_and_in_eval_its_buffers(nn_module):
    for keep_in_eval in (True, False):
        torch.manual_seed(3)
        model = nn_module.TorchClassifier(n_hidden=32)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model = nn_module.with_new_head(model, keep_in_eval, n_steps=3)
        after = model.state_dict()
        changed = [name for name in before if not torch.equal(before[name], after.get(name, before[name]))]
        buffers = [] if keep_in_eval else ["body.2.running_mean"]
        assert changed == [*buffers, "head.weight", "head.bias"] and not model.training
        assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert min(nn_module.new_head_accuracy["trained body"]) > 0.95
    assert max(nn_module.new_head_accuracy["random body"]) < 0.95
    assert nn_module.place_of_class.tolist() == [0, 1, 0, 0, 0, 2, 0, 2, 3, 2]


def test_summary_sees_every_layer_and_leaves_no_hook(nn_module):
    model = nn.Sequential(
        nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Sequential(nn.Linear(12, 4, bias=False), nn.ReLU())
    )
    rows = nn_module.summary(model, torch.zeros(2, 1, 3, 3))
    assert rows == [
        ("0", "Conv2d", (2, 3, 2, 2), 15),
        ("1", "Flatten", (2, 12), 0),
        ("2.0", "Linear", (2, 4), 48),
        ("2.1", "ReLU", (2, 4), 0),
    ]
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("sizes", [(6, 1), (6, 5, 3), (6, 1, 4, 2)])
def test_mlp_matches_sequential(nn_module, sizes):
    torch.manual_seed(0)
    mlp = nn_module.MLP(list(sizes))
    layers = [layer for linear in mlp.layers for layer in (linear, nn.ReLU())][:-1]
    x = torch.randn(3, 2, 3)
    torch.testing.assert_close(mlp(x), nn.Sequential(nn.Flatten(), *layers)(x))
    assert str(sizes) in repr(mlp)
    with pytest.raises(ValueError, match=r"\(B, 6\), got \(3, 4\)"):
        mlp(torch.zeros(3, 2, 2))


# 4.4 training_cycle


@pytest.fixture
def cycle_parts(training_cycle):
    """A small network, an optimizer with a memory, and batches of random examples, made from a seed."""

    def make(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
        data = np.random.default_rng(0)
        x, y = (
            torch.from_numpy(data.normal(size=(37, 2, 3))).float(),
            torch.from_numpy(data.integers(10, size=37)),
        )
        generator = torch.Generator().manual_seed(seed)
        return model, optimizer, scheduler, training_cycle.TensorBatches(x, y, 5, generator)

    return make


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10])
def test_own_loader_yields_what_the_library_yields(training_cycle, batch_size):
    t = training_cycle
    data = [(torch.randn(2, 3), label) for label in range(7)]
    for epochs in (1, 2):
        ours, theirs = (
            make(data, batch_size, sampler=t.Shuffle(7, torch.Generator().manual_seed(3)))
            for make in (t.Loader, torch.utils.data.DataLoader)
        )
        for _ in range(epochs):
            mine, library = list(ours), list(theirs)
            assert len(mine) == len(library) == len(ours) == len(theirs)
            for (x, y), (torch_x, torch_y) in zip(mine, library):
                assert torch.equal(x, torch_x) and torch.equal(y, torch_y) and y.dtype == torch_y.dtype
            assert torch.cat([y for _, y in mine]).sort().values.tolist() == list(range(7))


def test_shuffle_draws_a_new_order_each_epoch(training_cycle):
    shuffle = training_cycle.Shuffle(50, torch.Generator().manual_seed(0))
    first, second = list(shuffle), list(shuffle)
    assert first != second and sorted(first) == sorted(second) == list(range(50)) and len(shuffle) == 50


def test_tensor_batches_cover_everything_once(training_cycle):
    images, labels = torch.randn(11, 2), torch.arange(11)
    stored = training_cycle.TensorBatches(images, labels, 4)
    assert [y.tolist() for _, y in stored] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    mixed = training_cycle.TensorBatches(images, labels, 4, torch.Generator().manual_seed(0))
    for _ in range(2):
        x, y = (torch.cat(parts) for parts in zip(*mixed))
        assert y.tolist() != labels.tolist() and torch.equal(x, images[y])
    with pytest.raises(ValueError, match="11 pictures but 10 labels"):
        training_cycle.TensorBatches(images, labels[:10], 4)


def test_files_become_the_pictures_they_were_made_from(training_cycle):
    t = training_cycle
    assert len(t.train_set) == 4000 and len(t.valid_set) == 1000 and len(t.test_set) == 1000
    assert not set(t.train_files) & set(t.valid_files)
    assert {*t.train_files, *t.valid_files} == set(t.train_folder_files)
    for dataset, pixels, names in (
        (t.train_set, t.train_pixels, t.true_names["train"]),
        (t.test_set, t.test_pixels, t.true_names["test"]),
    ):
        for i in (0, 7, len(dataset) - 1):
            picture, label = dataset[i]
            number = int(dataset.files[i].stem)
            torch.testing.assert_close(picture[0], (pixels[number] / 255 - t.mean) / t.spread)
            assert t.CLASSES[label] == names[number]
    pictures, labels = t.train_tensors.tensors
    assert abs(pictures.mean()) < 1e-4 and abs(pictures.std() - 1) < 1e-4 and labels.dtype == torch.int64
    assert torch.bincount(labels).min() > 300


@pytest.mark.parametrize(
    "folder, file, picture, says",
    [
        ("hat", "a.png", np.zeros((28, 28)), r"no classes are called \['hat'\]"),
        ("boot", "a.png", np.zeros((28, 28, 3)), r"a.png must be a grey PNG.*float32 \(28, 28, 3\)"),
        ("boot", "a.png", np.zeros((28, 28, 4)), r"a.png must be a grey PNG.*float32 \(28, 28, 4\)"),
        ("boot", "a.png", np.zeros((30, 28)), r"a.png must be a grey PNG.*float32 \(30, 28\)"),
        ("boot", "a.jpg", np.zeros((28, 28)), r"a.jpg must be a grey PNG.*uint8 \(28, 28\)"),
    ],
)
def test_another_kind_of_picture_is_named(training_cycle, tmp_path, folder, file, picture, says):
    (tmp_path / folder).mkdir()
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / folder / file)
    with pytest.raises(ValueError, match=says):
        training_cycle.PictureFiles([tmp_path / folder / file], ("coat", "boot"), torch.tensor)[0]


@pytest.mark.parametrize("n, n_classes", [(0, 2), (1, 1), (50, 7)])
def test_confusion_matrix_matches_counting(training_cycle, n, n_classes):
    rng = np.random.default_rng(n)
    labels, predictions = rng.integers(n_classes, size=(2, n))
    expected = np.zeros((n_classes, n_classes))
    np.add.at(expected, (labels, predictions), 1)
    ours = training_cycle.confusion_matrix(torch.from_numpy(labels), torch.from_numpy(predictions), n_classes)
    np.testing.assert_array_equal(ours, expected)


def test_metrics_by_hand(training_cycle):
    confusion = torch.tensor([[3, 1, 0], [2, 2, 0], [0, 0, 0]])
    assert training_cycle.accuracy(confusion) == 5 / 8
    recalls = training_cycle.recalls(confusion).tolist()
    assert recalls[:2] == [0.75, 0.5] and math.isnan(recalls[2])


def test_confusion_matrix_names_the_fault(training_cycle):
    confusion_matrix, ok = training_cycle.confusion_matrix, torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"\(2,\).*\(2, 1\)"):
        confusion_matrix(ok, ok[:, None], 3)
    for bad in (torch.tensor([0, 3]), torch.tensor([-1, 0])):
        with pytest.raises(ValueError, match="a label lies outside 0 to 2"):
            confusion_matrix(bad, ok, 3)
        with pytest.raises(ValueError, match="a prediction lies outside 0 to 2"):
            confusion_matrix(ok, bad, 3)


def test_loops_match_plain_formulas(training_cycle, cycle_parts):
    model, optimizer, _, batches = cycle_parts(0)
    model[3] = nn.Identity()  # without dropout, so that training and evaluation give the same loss
    cpu = torch.device("cpu")
    assert training_cycle.evaluate(model, batches, cpu)[1].sum() == 37 and not model.training
    x, y = batches.pictures, batches.labels
    loss, confusion = training_cycle.evaluate(model, batches, cpu)
    with torch.no_grad():
        scores = model(x)
    assert loss == pytest.approx(F.cross_entropy(scores, y).item(), rel=1e-5)
    assert training_cycle.accuracy(confusion) == pytest.approx((scores.argmax(1) == y).double().mean().item())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    assert training_cycle.train_epoch(model, optimizer, batches, cpu) == pytest.approx(loss, rel=1e-5)
    assert model.training


def test_the_loops_move_every_batch(training_cycle, cycle_parts, device):
    model, optimizer, _, batches = cycle_parts(0)
    model.to(device)
    assert training_cycle.train_epoch(model, optimizer, batches, device) > 0
    loss, confusion = training_cycle.evaluate(model, batches, device)
    assert confusion.device.type == "cpu" and confusion.sum() == 37 and loss > 0


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resuming_equals_not_stopping(training_cycle, cycle_parts, tmp_path, stop):
    """With dropout, momentum and a scheduler: the checkpoint holds whatever the next step needs."""
    path, cpu = tmp_path / "last.pt", torch.device("cpu")
    whole, *rest = cycle_parts(0)
    batches = rest[-1]
    validation = training_cycle.TensorBatches(batches.pictures, batches.labels, 10)
    history = training_cycle.fit(whole, *rest, validation, 4, path, cpu)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["best.pt", "last.pt"]

    training_cycle.fit(*cycle_parts(0), validation, stop, path, cpu)
    model, *rest = cycle_parts(5)
    assert training_cycle.fit(model, *rest, validation, 4, path, cpu, resume=True) == history
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), whole.parameters()))
    again = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(best[name], again[name]) for name in best)
    model.load_state_dict(best)
    loss, confusion = training_cycle.evaluate(model, validation, cpu)
    assert loss == min(row[1] for row in history)
    assert len(training_cycle.load_checkpoint(path)["history"]) == 4


@pytest.mark.parametrize("key", ["model", "optimizer", "scheduler", "loader", "random"])
def test_each_entry_of_a_checkpoint_is_needed(training_cycle, cycle_parts, tmp_path, key):
    path, cpu = tmp_path / "last.pt", torch.device("cpu")
    whole, *rest = cycle_parts(0)
    validation = training_cycle.TensorBatches(rest[-1].pictures, rest[-1].labels, 10)
    history = training_cycle.fit(whole, *rest, validation, 4, path, cpu)
    training_cycle.fit(*cycle_parts(0), validation, 2, path, cpu)
    parts = cycle_parts(5)
    state = training_cycle.load_checkpoint(path)
    state[key] = training_cycle.training_state(*parts, [])[key]
    if key == "scheduler":  # one that has not counted an epoch, with the rate of the start
        parts[1].param_groups[0]["lr"] = 0.1
    training_cycle.save_checkpoint(path, state)
    resumed = training_cycle.fit(*parts, validation, 4, path, cpu, resume=True)
    if key == "scheduler":  # StepLR multiplies whatever the rate is; the lesson's cosine does not
        assert parts[2].last_epoch == 2
    else:
        assert resumed[:2] == history[:2] and resumed[2:] != history[2:]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_load_checkpoint_names_a_truncated_file(training_cycle, cycle_parts, tmp_path, share):
    path = tmp_path / "last.pt"
    training_cycle.save_checkpoint(path, training_cycle.training_state(*cycle_parts(0), []))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="last.pt is damaged"):
        training_cycle.load_checkpoint(path)


def test_load_checkpoint_names_a_foreign_file(training_cycle, cycle_parts, tmp_path):
    path = tmp_path / "other.pt"
    for content, words in (
        (torch.zeros(3), "holds a Tensor"),
        (
            dict.fromkeys(["model", "history", "random", "random_cuda"]),
            r"lacks \['loader', 'opt.*', 'sched.*'\]",
        ),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=words):
            training_cycle.load_checkpoint(path)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))  # a zip archive, but not torch's
    with pytest.raises(ValueError, match="damaged"):
        training_cycle.load_checkpoint(path)
    parts = cycle_parts(0)
    training_cycle.save_checkpoint(path, training_cycle.training_state(nn.Linear(2, 2), *parts[1:], []))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        training_cycle.restore(training_cycle.load_checkpoint(path), *parts)


class Stowaway:
    """Runs code of its own when a careless loader reads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_load_checkpoint_runs_no_code(training_cycle, tmp_path):
    torch.save({"model": Stowaway(tmp_path / "harm")}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="damaged, or was not written"):
        training_cycle.load_checkpoint(tmp_path / "other.pt")
    assert not (tmp_path / "harm").exists()


def test_the_first_epoch_is_the_best_so_far(training_cycle, cycle_parts, tmp_path):
    model, *rest = cycle_parts(0)
    validation = training_cycle.TensorBatches(rest[-1].pictures, rest[-1].labels, 10)
    training_cycle.fit(model, *rest, validation, 1, tmp_path / "last.pt", torch.device("cpu"))
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(best[name], w) for name, w in model.state_dict().items())


def test_hidden_layer_beats_the_linear_baseline_by_a_point(training_cycle):
    t = training_cycle
    assert min(t.test_accuracy["hidden layer"]) > max(t.test_accuracy["linear"])
    assert t.gain > 0.01 and [len(values) for values in t.test_accuracy.values()] == [3, 3]
    assert all(len(history) == 10 for runs in t.histories.values() for history in runs)
    for kind, learning_rate in t.chosen_rate.items():
        assert t.rates[kind][0] < learning_rate < t.rates[kind][-1]
    linear, optimizer, scheduler, batches = t.start("linear", 0.3, 1, 7)
    deep = t.start("hidden layer", 0.1, 1, 7)[0]
    assert [p.numel() for p in linear.parameters()] == [7840, 10]
    assert [tuple(p.shape) for p in deep.parameters()] == [(128, 784), (128,), (10, 128), (10,)]
    assert optimizer.param_groups[0]["lr"] == 0.3 and scheduler.T_max == 7 and len(batches) == 80


def test_the_lesson_opens_the_test_folder_in_one_cell_only(training_cycle):
    from pathlib import Path

    cells = Path(training_cycle.__file__).read_text(encoding="utf-8").split("# %%")
    opening = [i for i, cell in enumerate(cells) if 'folder / "test"' in cell]
    choosing = next(i for i, cell in enumerate(cells) if "chosen_rate[kind] = learning_rate" in cell)
    assert len(opening) == 1 and opening[0] > choosing


# 4.5 gpu


@pytest.mark.parametrize("intensity, expected", [(0.25, 0.5), (1.5, 3.0), (2.0, 4.0), (100.0, 4.0)])
def test_attainable_is_the_lower_of_two_roofs(gpu, intensity, expected):
    assert gpu.attainable(intensity, peak=4.0, bandwidth=2.0) == expected


@pytest.mark.parametrize("batch_size, n_in, n_out", [(1, 1, 1), (7, 3, 5), (64, 20, 30)])
def test_layer_work_matches_counting(gpu, batch_size, n_in, n_out):
    x, weight = torch.zeros(batch_size, n_in), torch.zeros(n_out, n_in)
    with FlopCounterMode(display=False) as counter:
        out = x @ weight.T  # (B, n_in) @ (n_in, n_out) -> (B, n_out)
    operations, traffic = gpu.layer_work(batch_size, n_in, n_out)
    assert operations == counter.get_total_flops()
    assert traffic == x.nbytes + weight.nbytes + out.nbytes
    assert gpu.layer_work(batch_size, n_in, n_out, bytes_each=2) == (operations, traffic / 2)


def test_toy_device_works_in_order_and_only_when_waited_for(gpu):
    toy, done = gpu.ToyDevice(), []
    for i in range(3):
        toy.launch(done.append, i)
    assert done == [] and len(toy.queue) == 3
    toy.launch(lambda a, b: a - b, 7, 2)
    toy.synchronize()
    assert done == [0, 1, 2] and toy.results == [None, None, None, 5] and not toy.queue


def test_stopwatch_is_warm_and_takes_the_median(gpu, monkeypatch):
    """With a clock of our own: calls of 1, 9, 2, 3 and 4 ticks after a first one that is not counted."""
    now, calls, lengths = [0.0], [], [100, 1, 9, 2, 3, 4]

    def work():
        now[0] += lengths[len(calls)]
        calls.append(None)

    monkeypatch.setattr(gpu, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    assert gpu.seconds(work, torch.device("cpu"), rounds=5) == 3 and len(calls) == 6
    calls.clear()
    assert gpu.naive_seconds(work, rounds=5) == 3 and len(calls) == 6


@pytest.mark.parametrize(
    "home, away, expected",
    [
        ([1, 2, 3], [2, 1, 1], 20),
        ([1, 1, 1], [2, 2, 2], None),
        ([3, 3, 3], [1, 1, 1], 10),
        ([1, 3, 5], [0, 4, 0], 30),
        ([1, 1, 1], [0, 0, 1], None),
    ],
)
def test_crossover_is_the_size_from_which_on_it_pays(gpu, home, away, expected):
    assert gpu.crossover([10, 20, 30], home, away) == expected


def test_crossover_refuses_lists_of_two_lengths(gpu):
    with pytest.raises(ValueError):
        gpu.crossover([10, 20], [9.0, 9.0], [1.0, 1.0, 1.0])


def test_assumed_gpu_by_hand(gpu):
    assert gpu.assumed_gpu(100, False, order=1.0, bus=1e3, peak=1e6) == pytest.approx(1 + 2)
    assert gpu.assumed_gpu(100, True, order=1.0, bus=1e3, peak=1e6) == pytest.approx(3 + 3 * (1 + 40))
    assert gpu.assumed_gpu(1, False) == pytest.approx(1e-5, rel=1e-3)
    assert gpu.assumed_gpu(10_000, True) == pytest.approx(4e-5 + 0.06 + 0.1, rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_saved_bytes_match_the_formula(gpu, batch_size):
    x = torch.randn(batch_size, 5, dtype=torch.float32)
    model = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Tanh(), nn.Linear(3, 2))
    assert gpu.saved_bytes(model, x) == 4 * batch_size * (5 + 3 + 3)  # the input and both tanh's outputs
    assert gpu.saved_bytes(nn.Linear(5, 3), x) == 4 * batch_size * 5
    assert gpu.saved_bytes(nn.Linear(5, 3).double(), x.double()) == 8 * batch_size * 5


def test_rates_count_what_they_time(gpu, monkeypatch):
    done = []
    monkeypatch.setattr(gpu, "seconds", lambda function, device: done.append(function()) or 2.0)
    cpu = torch.device("cpu")
    assert gpu.product_rate(cpu, 3, 5, 7) == 2 * 3 * 5 * 7 / 2.0
    assert gpu.copy_rate(cpu, 400) == 2 * 400 / 2.0
    product, copied = done
    assert product.shape == (3, 7) and copied.nbytes == 400


def test_the_roof_is_measured_at_the_layers_own_shape_too(gpu):
    for name, (peak, bandwidth) in gpu.roofs.items():
        assert peak >= gpu.points[name][-1][1] and bandwidth > 0
    assert len(gpu.points["CPU"]) == len(gpu.batch_sizes)


def test_fit_matches_plain_steps(gpu):
    weights = [parameter.detach().requires_grad_() for parameter in gpu.make_model().parameters()]
    assert [tuple(weight.shape) for weight in weights] == [(64, 196), (64,), (10, 64), (10,)]
    generator, expected, accuracies = torch.Generator().manual_seed(0), [], []
    batches = torch.utils.data.DataLoader(gpu.train_set, 500, shuffle=True, generator=generator)
    assert len(gpu.train_set) == 4000
    for learning_rate in (0.2, 0.1):  # half a cosine over two epochs
        for x, y in batches:
            hidden = F.linear(x, *weights[:2]).relu()
            loss = F.cross_entropy(F.linear(hidden, *weights[2:]), y)
            expected.append(loss.item())
            grads = torch.autograd.grad(loss, weights)
            weights = [
                (w - learning_rate * grad).detach().requires_grad_() for w, grad in zip(weights, grads)
            ]
        hidden = F.linear(gpu.valid_pictures, *weights[:2]).relu()
        answers = F.linear(hidden, *weights[2:]).argmax(dim=1)
        accuracies.append((answers == gpu.valid_labels).double().mean().item())
    losses, found = gpu.fit(torch.device("cpu"), n_epochs=2, batch_size=500)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(found, accuracies, atol=0.002)


def test_both_devices_and_all_precisions_agree(gpu, device):
    reference, _ = gpu.fit(torch.device("cpu"), n_epochs=1)
    np.testing.assert_allclose(gpu.fit(device, n_epochs=1)[0], reference, rtol=1e-3)
    halves = [torch.bfloat16] + [torch.float16] * (device.type == "cuda")
    for half in halves:
        mixed, _ = gpu.fit(device, half, n_epochs=1)
        np.testing.assert_allclose(mixed, reference, atol=0.05)
        assert mixed != reference
    x = torch.linspace(-2, 2, 9, device=device)
    torch.testing.assert_close(gpu.chain(x).cpu(), torch.tanh(2 * x.cpu() + 1).clamp(min=0))


@pytest.mark.parametrize("scale", [1.0, 2.0**10, 2.0**20])
def test_a_scale_rescues_what_float16_loses(gpu, scale):
    for dtype in (torch.float32, torch.bfloat16):
        assert gpu.tiny_gradient(dtype, scale) == pytest.approx(1e-8, rel=1e-2)
    rescued = gpu.tiny_gradient(torch.float16, scale)
    assert rescued == (0 if scale == 1 else pytest.approx(1e-8, rel=1e-2))


# 4.6 regression_project


def test_monthly_means_by_hand(regression_project):
    dates = ["19991130", "19991201", "19991215", "20000201", "20000202", "20000228"]
    series, first = regression_project.monthly_means(dates, [5.0, 1.0, 2.0, 3.0, 3.0, 9.0])
    assert first == 12 * 1999 + 10
    np.testing.assert_array_equal(series, [5.0, 1.5, np.nan, 5.0])
    with_dashes = [f"{date[:4]}-{date[4:6]}-{date[6:]}" for date in dates]
    same = regression_project.monthly_means(with_dashes, [5.0, 1.0, 2.0, 3.0, 3.0, 9.0])
    np.testing.assert_array_equal(same[0], series)
    with pytest.raises(ValueError, match="6 dates but 5 values"):
        regression_project.monthly_means(dates, [1.0] * 5)
    with pytest.raises(ValueError, match="month must be in 1..12"):
        regression_project.monthly_means(["19991301"], [1.0])
    for date in ("30.11.1999", "11/30/1999", ""):
        with pytest.raises(ValueError, match=f"isoformat string: '{date}'"):
            regression_project.monthly_means([*dates, date], [1.0] * 7)


@pytest.mark.parametrize("width", [1, 3, 7])
def test_windows_match_slicing_and_skip_gaps(regression_project, width):
    series = np.random.default_rng(0).normal(size=30)
    series[[4, 17]] = np.nan
    inputs, targets, positions = regression_project.windows(series, width)
    expected = [t for t in range(width, 30) if not np.isnan(series[t - width : t + 1]).any()]
    assert positions.tolist() == expected
    for row, target, t in zip(inputs, targets, positions, strict=True):
        np.testing.assert_array_equal(row, series[t - width : t])
        assert target == series[t]


@pytest.mark.parametrize("shift", [1000.0, -3.0, np.nan])
@pytest.mark.parametrize("month", [100, 321, 500])
def test_the_future_does_not_reach_the_features(regression_project, month, shift):
    r, width = regression_project, regression_project.width
    shifted = r.series.copy()
    shifted[month:] += shift
    inputs, targets, positions = r.windows(r.series, width)
    others, other_targets, other_positions = r.windows(shifted, width)
    np.testing.assert_array_equal(inputs[positions < month], others[other_positions < month])
    np.testing.assert_array_equal(targets[positions < month], other_targets[other_positions < month])
    at, other_at = inputs[positions == month], others[other_positions == month]
    assert len(other_at) == 0 if np.isnan(shift) else np.array_equal(at, other_at)
    if not np.isnan(shift):
        assert not np.array_equal(targets[positions >= month], other_targets[other_positions >= month])


def test_baselines_by_hand(regression_project):
    ramp = np.arange(30.0) + 5 * (np.arange(30) % 12 == 3)
    inputs, targets, _ = regression_project.windows(ramp, 14)
    np.testing.assert_array_equal(regression_project.persistence(inputs), ramp[13:29])
    np.testing.assert_allclose(regression_project.seasonal(inputs), targets)  # a wave on a climb: exact
    assert regression_project.rmse(np.array([1.0, 2.0]), np.array([4.0, 6.0])) == pytest.approx(
        math.sqrt(12.5)
    )
    with pytest.raises(ValueError, match=r"\(3,\).*\(3, 1\)"):
        regression_project.rmse(np.zeros(3), np.zeros((3, 1)))


def test_least_squares_recovers_a_rule(regression_project):
    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=(50, 5)), rng.normal(size=4)
    targets = inputs[:, -1] + (inputs[:, :-1] - inputs[:, -1:]) @ weights + 0.7  # (50, 4) @ (4,) -> (50,)
    predict = regression_project.least_squares(inputs[:30], targets[:30])
    np.testing.assert_allclose(predict(inputs[30:]), targets[30:], rtol=1e-10, atol=1e-12)


def test_forecaster_follows_its_formula(regression_project):
    torch.manual_seed(0)
    model = regression_project.Forecaster(6, 3).double()
    x, y = torch.randn(9, 6, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    model.measure(x, y)
    past, step = x[:, :-1] - x[:, -1:], y - x[:, -1]
    scaled = (past - past.mean(0)) / past.std(0)
    expected = x[:, -1] + model.network(scaled)[:, 0] * step.std() + step.mean()
    torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model(x + 100), model(x) + 100)  # the level passes through
    assert len(model.state_dict()) == 4 + 4
    assert model(x[:1]).shape == (1,)


def test_fit_measures_training_only_and_keeps_the_best_epoch(regression_project):
    r = regression_project
    rng = np.random.default_rng(0)
    train, validation = ((rng.normal(size=(n, 5)), rng.normal(size=n)) for n in (40, 8))
    model, history = r.fit(train, validation, seed=1, n_epochs=9)
    assert len(history) == 9
    assert r.rmse(r.predict(model, validation[0]), validation[1]) == min(row[1] for row in history)
    x, y = (torch.from_numpy(values).float() for values in train)
    torch.testing.assert_close(model.step_center[0], (y - x[:, -1]).mean())
    torch.testing.assert_close(model.spread, (x[:, :-1] - x[:, -1:]).std(0))
    last, losses = r.fit(train, train, seed=1, n_epochs=9)
    assert [row[0] for row in losses] == [row[1] for row in losses] == [row[0] for row in history]
    assert losses[-1][0] < losses[0][0]


def test_roll_feeds_forecasts_back(regression_project):
    class Sum(nn.Module):
        def forward(self, inputs):
            return inputs.sum(dim=1)

    history = np.array([[1.0, 1.0], [2.0, 3.0]])
    rolled = regression_project.roll(Sum(), history, 4)
    assert rolled.tolist() == [[2, 3, 5, 8], [5, 8, 13, 21]] and history.shape == (2, 2)


def test_half_widths_cover_what_they_promise(regression_project):
    errors = np.column_stack([np.arange(1, 20), -10.0 * np.arange(1, 20)])  # (19, 2)
    assert regression_project.half_widths(errors).tolist() == [18, 180]
    assert regression_project.half_widths(errors, coverage=0.5).tolist() == [10, 100]
    with pytest.raises(ValueError, match="8 errors are too few"):
        regression_project.half_widths(np.zeros((8, 1)))
    rng = np.random.default_rng(0)
    held = [
        np.abs(rng.normal()) <= regression_project.half_widths(rng.normal(size=(19, 1)))[0]
        for _ in range(2000)
    ]
    assert abs(np.mean(held) - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 2000)


def test_paths_stay_inside_their_years(regression_project):
    series, years = np.arange(60.0), 2000 + np.arange(60) / 12
    history, future = regression_project.paths(series, years, 2002, 2004, width=5, n_steps=3)
    assert history[0].tolist() == [19, 20, 21, 22, 23] and future[0].tolist() == [24, 25, 26]
    assert future[-1].tolist() == [45, 46, 47] and len(future) == 22


def test_the_network_beats_persistence_and_seasonal(regression_project):
    r = regression_project
    errors = r.test_errors
    assert max(r.mlp_errors) < errors["seasonal"] < 0.5 * errors["persistence"]
    assert 0.2 < errors["MLP, mean of seeds"] < 0.4 and 0.2 < errors["linear"] < 0.4
    assert len(r.mlp_errors) == 4 and r.held[0] > 0.85 > r.held[-1]


def test_a_new_forecaster_is_usable_before_it_measures(regression_project):
    model = regression_project.Forecaster(6, 3)
    assert torch.isfinite(model(torch.full((2, 6), 350.0))).all()


def test_the_test_years_are_not_looked_at_before_their_cell(regression_project):
    from pathlib import Path

    before = Path(regression_project.__file__).read_text(encoding="utf-8").split("## The test, once")[0]
    assert "test[0]" not in before and "test[1]" not in before and before.count("rmse(predict") == 3


def test_t_interval_by_hand_and_by_counting(regression_project):
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    low, high = regression_project.t_interval(values)
    half = 2.447 * math.sqrt(28 / 6) / math.sqrt(7)
    assert (low, high) == pytest.approx((4 - half, 4 + half))
    with pytest.raises(ValueError, match="seven numbers, got 6"):
        regression_project.t_interval(values[:6])
    sevens = np.random.default_rng(1).normal(3.0, size=(4000, 7))
    low, high = regression_project.t_interval(sevens)
    assert abs(np.mean((low < 3) & (high > 3)) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)
    low, high = regression_project.bootstrap_interval(values, np.random.default_rng(0))
    assert 1 < low < 4 < high < 7 and high - low < 2 * half


# 4.7 pytorch_project


def test_run_tells_the_code_and_all_output(pytorch_project, monkeypatch, tmp_path):
    monkeypatch.setattr(pytorch_project, "folder", tmp_path)
    program = "import os, sys; print(os.getcwd(), flush=True); print('é√', file=sys.stderr); sys.exit(3)"
    unhelpful = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
    for name, value in unhelpful.items():
        monkeypatch.setenv(name, value)  # a system that does not speak UTF-8 by itself
    code, output = pytorch_project.run("-c", program)
    assert code == 3 and output.splitlines() == [str(tmp_path.resolve()), "é√"]
    assert pytorch_project.run("-c", "pass") == (0, "")


def test_resumed_log_equals_the_uninterrupted_one(pytorch_project, monkeypatch, tmp_path):
    p = pytorch_project
    monkeypatch.setattr(p, "folder", tmp_path)
    files = {"model": p.MODEL, "data": p.DATA, "train": p.TRAIN, "test_project": p.TEST}
    for name, content in files.items():
        (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
    code, output = p.run("-m", "unittest")
    assert code == 0 and output.strip().endswith("OK")
    code, output = p.run("train.py", "--data", p.data, "--epochs", 6, "--device", "cpu")
    assert code == 0 and output.count("epoch") == 6
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == p.log_text
    assert not list(tmp_path.glob("*.part")) and (tmp_path / "last.pt").exists()


def test_the_project_runs_on_every_device(pytorch_project, monkeypatch, tmp_path, device):
    p = pytorch_project
    monkeypatch.setattr(p, "folder", tmp_path)
    for name, content in {"model": p.MODEL, "data": p.DATA, "train": p.TRAIN}.items():
        (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
    code, output = p.run("train.py", "--data", p.data, "--epochs", 1, "--device", device)
    assert code == 0 and output.startswith("epoch 1   loss 1.")
    code, output = p.run("train.py", "--data", p.data, "--epochs", 2, "--device", "cpu", "--resume")
    assert code == 0 and output.startswith("epoch 2   loss 0.")


@pytest.mark.parametrize("shape", [(1000, 28, 28), (1100, 28, 28, 3), (1100, 32, 32), (1100, 784)])
def test_the_project_names_what_is_no_such_archive(pytorch_project, tmp_path, shape):
    np.savez(tmp_path / "own.npz", train_images=np.zeros(shape, np.uint8), train_labels=np.zeros(shape[0]))
    names = {}
    exec(pytorch_project.DATA, names)
    with pytest.raises(ValueError, match=rf"own.npz must hold .*got \({shape[0]}, {shape[1]}"):
        names["load"](tmp_path / "own.npz")
    train_set, valid_set = names["load"](pytorch_project.data)
    assert (len(train_set), len(valid_set)) == (4000, 1000) and train_set[0][0].shape == (14, 14)


def test_the_projects_test_passes_and_finds_both_faults(pytorch_project):
    p = pytorch_project
    assert p.shape_code != 0 and "(5x64 and 8x10)" in p.shape_message
    assert p.nan_code != 0 and "hidden" in p.watch_message
    assert p.debug_code != 0 and "nan" in p.anomaly_message
    assert p.fixed_code == 0


def test_our_lines_keep_the_projects_own(pytorch_project, tmp_path):
    output = (
        f'Traceback (most recent call last):\n  File "{tmp_path / "a.py"}", line 12, in main\n    go(1)\n'
        f'  File "{tmp_path / "a.py"}", line 12, in <listcomp>\n    go(1)\n'
        f'  File "{tmp_path / "lib" / "b.py"}", line 7, in go\n    stop()\n'
        f'  File "{tmp_path / "c.py"}", line 3, in stop\n    raise ValueError("x")\nValueError: x\n'
    )
    expected = [("a.py", 12, "go(1)"), ("c.py", 3, 'raise ValueError("x")')]
    assert pytorch_project.our_lines(output, tmp_path) == expected


def test_shapes_follow_a_batch_to_the_failing_module(pytorch_project):
    model = nn.Sequential(nn.Linear(6, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 3)))
    seen, error = pytorch_project.shapes(model, torch.zeros(2, 6))
    names = [name for name, *_ in seen]
    assert names == ["0", "1.0", "1.1", "1", ""] and error is None
    assert seen[2] == ("1.1", (2, 4), (2, 3)) and seen[-1] == ("", (2, 6), (2, 3))
    model[1][1] = nn.Linear(5, 3)
    seen, error = pytorch_project.shapes(model, torch.zeros(2, 6))
    assert isinstance(error, RuntimeError)
    assert seen[2:] == [("1.1", (2, 4), None), ("1", (2, 4), None), ("", (2, 6), None)]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_load_module_leaves_no_trace(pytorch_project, tmp_path):
    (tmp_path / "colours.py").write_text("RED = 3\n", encoding="utf-8")
    assert pytorch_project.load_module(tmp_path / "colours.py").RED == 3
    assert not [name for name in sys.modules if "colours" in name]


# numbers of every kind


def numpys(result):
    """Tensors in what a function returned, as arrays."""
    if isinstance(result, list | tuple):
        return [numpys(part) for part in result]
    return result.detach().numpy() if isinstance(result, torch.Tensor) else result


def like(layer, x):
    """The layer in the precision of x; for whole numbers it stays as it is."""
    return layer.double() if x.dtype == torch.float64 else layer


WHOLE = np.random.default_rng(0)
ROWS, MORE, SERIES = (WHOLE.integers(0, 6, shape).astype(float) for shape in [(5, 4), (3, 4), (40,)])
LONG = WHOLE.integers(0, 6, (9, 14)).astype(float)
ANSWERS = torch.tensor([3, 0, 1, 1, 2])


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("computational_graph", lambda m, x: m.Softplus.apply(x), [ROWS]),
        ("computational_graph", lambda m, x: m.heron(x + 1), [3.0]),
        ("nn_module", lambda m, x: like(m.Linear(4, 3), x)(x), [ROWS]),
        ("nn_module", lambda m, x: m.ReLU()(x - 2), [ROWS]),
        ("nn_module", lambda m, x: m.Flatten()(x[:, None]), [ROWS]),
        ("nn_module", lambda m, x: like(m.Center(4), x)(x), [ROWS]),
        ("nn_module", lambda m, x: like(m.Center(4), x).eval()(x), [ROWS]),
        ("nn_module", lambda m, x: like(m.TorchCenter(4), x)(x), [ROWS]),
        ("nn_module", lambda m, x: like(m.MLP([4, 3, 2]), x)(x), [ROWS]),
        ("training_cycle", lambda m, x: m.accuracy(x + 1), [ROWS[:4]]),
        ("training_cycle", lambda m, x: m.recalls(x + 1), [ROWS[:4]]),
        ("training_cycle", lambda m, x: m.collate([(row, 1) for row in x]), [ROWS]),
        ("training_cycle", lambda m, x: list(m.TensorBatches(x, x[:, 0], 2))[-1], [ROWS]),
        (
            "training_cycle",
            lambda m, x: m.evaluate(like(nn.Linear(4, 10), x), [(x, ANSWERS[: len(x)])], x.device),
            [ROWS],
        ),
        ("gpu", lambda m, x: m.chain(x), [ROWS]),
    ],
)
def test_any_tensors_give_the_right_numbers(lesson, any_numbers, stem, call, arrays):
    """Also one example or none; PyTorch makes float32 of whole numbers, or refuses them by their dtype."""
    m = lesson(stem)

    def in_numpy(*given):
        torch.manual_seed(0)
        try:
            return numpys(call(m, *(torch.from_numpy(np.asarray(array)) for array in given)))
        except (RuntimeError, NotImplementedError) as error:
            raise ValueError(str(error)) from error

    batch = () if "accuracy" in call.__code__.co_names or np.ndim(arrays[0]) == 0 else (0,)
    any_numbers(in_numpy, *arrays, batch=batch, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "call, arrays, batch, float32",
    [
        (lambda m, x, y: m.rmse(x, y), [SERIES, SERIES[::-1]], (0, 1), False),
        (lambda m, x: m.windows(x, 3)[:2], [SERIES], (), True),
        (lambda m, x: m.paths(x, 2000 + np.arange(40) / 12, 2001, 2003, 3, 2), [SERIES], (), True),
        (lambda m, x: m.persistence(x), [ROWS], (0,), True),
        (lambda m, x: m.seasonal(x), [LONG], (0,), True),
        (lambda m, x, y: m.least_squares(x, y)(x[:2] + 1), [LONG[:, :4], LONG[:, 5]], (), True),
        (lambda m, x: m.t_interval(x), [LONG[:, :7]], (0,), True),
        (lambda m, x: m.bootstrap_interval(x, np.random.default_rng(0), 9), [SERIES], (0,), False),
        (lambda m, x: m.half_widths(x), [LONG], (0,), True),
        (lambda m, x: m.predict(m.Forecaster(4, 3), x), [ROWS], (0,), False),
        (lambda m, x: m.roll(m.Forecaster(4, 3), x, 2), [ROWS], (0,), False),
        (lambda m, x, y: m.fit((x, y), (x[:2], y[:2]), 0, n_epochs=2)[1], [ROWS, ROWS[:, 0]], (0, 1), False),
        (
            lambda m, x: m.monthly_means([f"2001{i:02d}01" for i in range(1, 6)], x)[0],
            [SERIES[:5]],
            (),
            False,
        ),
    ],
)
def test_any_numbers_give_the_right_ones(regression_project, any_numbers, call, arrays, batch, float32):
    def seeded(*given):
        torch.manual_seed(0)
        return call(regression_project, *given)

    any_numbers(seeded, *arrays, batch=batch, float32=float32)


def test_the_roofline_takes_any_numbers(gpu, any_numbers):
    any_numbers(lambda intensity: gpu.attainable(intensity, 4.0, 2.0), SERIES)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_whole_type_are_counted_right(training_cycle, dtype):
    """19 · 20 does not fit into a byte."""
    labels, predictions = torch.tensor([[19, 18, 0, 19], [19, 0, 18, 1]], dtype=dtype)
    counts = training_cycle.confusion_matrix(labels, predictions, 20)
    expected = torch.zeros(20, 20, dtype=torch.int64)
    expected[19, 19] = expected[18, 0] = expected[0, 18] = expected[19, 1] = 1
    assert torch.equal(counts, expected)
    for pair in ((labels.float(), predictions), (labels, predictions.half())):
        with pytest.raises(ValueError, match="must be a whole number, got torch.float"):
            training_cycle.confusion_matrix(*pair, 20)


def test_two_windows_and_one_draw_are_enough(regression_project):
    model = regression_project.Forecaster(3, 2)
    model.measure(torch.tensor([[1.0, 2, 0], [3, 8, 0]]), torch.tensor([1.0, 2.0]))
    assert model.center.tolist() == [2, 5] and model.step_center.tolist() == [1.5]
    one = regression_project.bootstrap_interval(np.ones(3), np.random.default_rng(0), 1)
    assert one.tolist() == [1, 1]


def test_small_whole_numbers_do_not_overflow(regression_project):
    a = np.array([100, -100], dtype=np.int8)
    assert regression_project.rmse(a, -a) == 200
    assert regression_project.rmse([1, 2], [4, 6]) == pytest.approx(math.sqrt(12.5))


# settings at the edge


@pytest.mark.parametrize(
    "stem, call, says",
    [
        ("nn_module", lambda m: m.Center(3)(torch.ones(0, 3)), "a batch without examples has no mean"),
        ("nn_module", lambda m: m.TorchCenter(3)(torch.ones(0, 3)), "a batch without examples has no mean"),
        ("nn_module", lambda m: m.MLP([5]), r"at least two sizes, got \(5,\)"),
        ("training_cycle", lambda m: m.Loader([], 0, []), "batch_size must be at least 1, got 0"),
        ("training_cycle", lambda m: m.Loader([], -1, []), "batch_size must be at least 1, got -1"),
        ("training_cycle", lambda m: m.evaluate(nn.Linear(2, 2), [], torch.device("cpu")), "no batches"),
        (
            "training_cycle",
            lambda m: m.train_epoch(nn.Linear(2, 2), None, [], torch.device("cpu")),
            "no batches to train on",
        ),
        ("gpu", lambda m: m.fit(torch.device("cpu"), batch_size=0), "batch_size=0"),
        ("regression_project", lambda m: m.windows(np.ones(9), -1), "negative"),
        (
            "regression_project",
            lambda m: m.half_widths(np.ones((9, 1)), 1.5),
            "too few for a coverage of 1.5",
        ),
        (
            "regression_project",
            lambda m: m.bootstrap_interval(np.ones(3), np.random.default_rng(0), 0),
            "0 draws of 3 values",
        ),
        (
            "regression_project",
            lambda m: m.Forecaster(4, 3).measure(torch.ones(5, 4), torch.arange(5.0)),
            "5 windows, but .* there is no spread",
        ),
        (
            "regression_project",
            lambda m: m.Forecaster(4, 3).measure(torch.rand(5, 4), torch.ones(5) + torch.nan),
            "there is no spread",
        ),
    ],
)
def test_impossible_settings_are_named(lesson, stem, call, says):
    with pytest.raises(ValueError, match=says):
        call(lesson(stem))


@pytest.mark.parametrize(
    "n_epochs, learning_rate, batch_size", [(0, 0.1, 5), (1, 0.0, 5), (1, 100.0, 5), (1, 0.1, 99)]
)
def test_the_cycle_takes_settings_at_the_edge(
    training_cycle, monkeypatch, tmp_path, n_epochs, learning_rate, batch_size
):
    t, cpu = training_cycle, torch.device("cpu")
    monkeypatch.setattr(t, "device", cpu)
    monkeypatch.setattr(t, "batch_size", batch_size)
    few = torch.utils.data.Subset(t.train_tensors, range(13))
    parts = t.start("linear", learning_rate, 0, n_epochs, few)
    before = t.weights_of(parts[0]).clone()
    history = t.fit(*parts, parts[-1], n_epochs, tmp_path / "last.pt", cpu)
    assert len(history) == n_epochs and np.isfinite(history).all()
    assert torch.equal(before, t.weights_of(parts[0])) == (n_epochs == 0 or learning_rate == 0)


@pytest.mark.parametrize("n_epochs, batch_size", [(0, 64), (1, 5000)])
def test_the_same_cycle_on_a_device_takes_them_too(gpu, n_epochs, batch_size):
    losses, accuracies = gpu.fit(torch.device("cpu"), n_epochs=n_epochs, batch_size=batch_size)
    assert len(losses) == len(accuracies) == n_epochs and np.isfinite(losses).all()


def test_the_loops_of_the_graph_and_of_modules_take_no_step_and_large_ones(computational_graph, nn_module):
    c, n = computational_graph, nn_module
    assert c.train(0, 0.1)[0] == [] and c.descend(0, 0.1) == [] and c.gradient_lengths(0) == {}
    assert c.alive_with_kept_losses(True, False, 0) == (0, 0)
    losses, weights = c.train(2, 0.0)
    assert losses[0] == losses[1] and torch.equal(weights[0], c.fresh_weights()[0])
    assert np.isfinite(c.train(3, 100.0)[0]).all()
    for n_steps, learning_rate in ((0, 4.0), (2, 0.0), (2, 100.0)):
        model = n.with_new_head(n.TorchClassifier(3), True, n_steps, learning_rate)
        assert torch.isfinite(model.head.weight).all()


@pytest.mark.parametrize(
    "settings",
    [{"n_epochs": 0}, {"n_epochs": 1, "learning_rate": 0.0}, {"n_epochs": 1, "learning_rate": 1e30}],
)
def test_the_forecaster_keeps_a_state_at_any_setting(lesson, settings):
    """No epoch, no step, or nothing but NaN: the start is what is kept."""
    m = lesson("regression_project")
    model, history = m.fit(m.train, m.validation, 0, batch_size=37, **settings)
    assert len(history) == settings["n_epochs"]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


# benchmarks


def check_product(product, a, b, tolerance):
    """Some rows of the product against float64."""
    expected = a[:4].double() @ b.double()  # (4, n) @ (n, n) -> (4, n)
    torch.testing.assert_close(
        product[:4].cpu().double(), expected, rtol=tolerance, atol=len(a) ** 0.5 * tolerance
    )


@pytest.mark.benchmark(group="matrix product, 512 × 512, float32")
@pytest.mark.parametrize("implementation", ["numpy"])
def test_numpy_matmul_speed(timed, implementation):
    torch.manual_seed(0)
    a, b = torch.randn(2, 512, 512)
    product = timed(np.matmul, a.numpy(), b.numpy(), flops=2 * 512**3)  # (512, 512) @ (512, 512)
    check_product(torch.from_numpy(product), a, b, 1e-3)


@pytest.mark.benchmark(group="matrix product, 512 × 512, float32")
@pytest.mark.parametrize("implementation", ["torch, library"])
def test_matmul_speed(timed, device, implementation):
    torch.manual_seed(0)
    a, b = torch.randn(2, 512, 512)
    product = timed(torch.matmul, a.to(device), b.to(device), flops=2 * 512**3)  # (512, 512) @ (512, 512)
    check_product(product, a, b, 1e-3)


@pytest.mark.benchmark(group="matrix product, 4096 × 4096")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_large_matmul_speed(timed, device, dtype):
    if device.type == "cpu":
        pytest.skip("it fills a GPU; one core would take minutes")
    torch.manual_seed(0)
    a, b = torch.randn(2, 4096, 4096).to(dtype)
    there = a.to(device), b.to(device)
    product = timed(torch.matmul, *there, flops=2 * 4096**3, dtype=dtype)  # (n, n) @ (n, n) -> (n, n)
    check_product(product, a, b, 1e-3 if dtype == torch.float32 else 2e-2)


@pytest.mark.benchmark(group="four elementwise operations, 4 million numbers, float32")
@pytest.mark.parametrize("implementation", ["torch, eager", "torch, compiled"])
def test_elementwise_chain_speed(gpu, timed, device, compiled, implementation):
    chain, n = gpu.chain, 2**22
    if implementation == "torch, compiled":
        chain = compiled(chain)
    x = torch.linspace(-2, 2, n, device=device)
    out = timed(chain, x, bytes=2 * 4 * n)  # the least: read once, write once
    torch.testing.assert_close(out.cpu(), torch.tanh(2 * x.cpu() + 1).clamp(min=0))


@pytest.mark.benchmark(group="copy from the CPU's memory, 40 MB")
@pytest.mark.parametrize("implementation", ["pageable", "pinned"])
def test_host_to_device_copy_speed(timed, device, implementation):
    if implementation == "pinned" and device.type == "cpu":
        pytest.skip("pinned memory serves a bus")
    source, target = torch.arange(10**7, dtype=torch.float32), torch.zeros(10**7, device=device)
    if implementation == "pinned":
        source = source.pin_memory()
    copied = timed(lambda: target.copy_(source, non_blocking=True), bytes=2 * source.nbytes)
    assert torch.equal(copied.cpu(), source)


@pytest.mark.benchmark(group="an epoch of 1,000 pictures in batches of 50, float32")
@pytest.mark.parametrize("implementation", ["own loader", "DataLoader"])
def test_loading_speed(training_cycle, timed, implementation):
    t = training_cycle
    pictures, labels = (tensor[:1000] for tensor in t.train_tensors.tensors)
    data = torch.utils.data.TensorDataset(pictures, labels)
    make = t.Loader if implementation == "own loader" else torch.utils.data.DataLoader
    batches = timed(list, make(data, 50, sampler=range(1000)), bytes=2 * pictures.nbytes)
    assert torch.equal(torch.cat([x for x, _ in batches]), pictures)
    assert torch.equal(torch.cat([y for _, y in batches]), labels)


@pytest.mark.benchmark(group="an epoch of 1,000 pictures in batches of 50, float32")
@pytest.mark.parametrize("implementation", ["whole tensors"])
def test_whole_tensor_loading_speed(training_cycle, timed, device, implementation):
    images, labels = (tensor[:1000].to(device) for tensor in training_cycle.train_tensors.tensors)
    batches = training_cycle.TensorBatches(images, labels, 50, torch.Generator().manual_seed(0))
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))

    def epoch():
        batches.generator.manual_seed(0)
        return list(batches)

    loaded = timed(epoch, bytes=2 * images.nbytes)
    assert torch.equal(
        torch.cat([x for x, _ in loaded]).cpu(), training_cycle.train_tensors.tensors[0][:1000][order]
    )


@pytest.mark.parametrize("implementation", ["float32", "autocast, bfloat16"])
@pytest.mark.parametrize(
    "batch_size",
    [
        pytest.param(n, marks=pytest.mark.benchmark(group=f"training step, 784-64-10, batch {n}"))
        for n in (64, 1024)
    ],
)
def test_training_step_speed(training_cycle, timed, device, batch_size, implementation):
    torch.manual_seed(0)
    mixed = implementation != "float32"
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    images, labels = (tensor[:batch_size] for tensor in training_cycle.train_tensors.tensors)
    with torch.no_grad():
        expected = F.cross_entropy(model(images), labels)
    model, x, y = model.to(device), images.to(device), labels.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)  # the same step every time

    def step():
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
            loss = F.cross_entropy(model(x).float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    flops = 2 * batch_size * (2 * 784 * 64 + 3 * 64 * 10)  # the pictures want no gradient
    peak = torch.bfloat16 if mixed and device.type == "cuda" else torch.float32  # most CPUs crawl in bfloat16
    loss = timed(step, flops=flops, dtype=peak)
    torch.testing.assert_close(loss.cpu(), expected, rtol=2e-2 if mixed else 1e-4, atol=0)
