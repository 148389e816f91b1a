"""Chapter 4: what the lessons computed, and how fast their kernels are."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def tensor_basics(lesson):
    return lesson("tensor_basics")


@pytest.fixture
def computational_graph(lesson):
    return lesson("computational_graph")


# 4.1 tensor_basics: random chains of views, the same for our class and for torch


def assert_same_view(ours, theirs):
    assert ours.shape == tuple(theirs.shape)
    if theirs.numel():  # where nothing is stored, strides and offset lead nowhere
        assert (ours.strides, ours.offset) == (theirs.stride(), theirs.storage_offset())
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
        ours = tensor_basics.StridedTensor(list(range(size)), shape)
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


def test_views_of_a_picture_share_its_memory(tensor_basics):
    pointer = tensor_basics.image.data_ptr()
    for view in (tensor_basics.turned, tensor_basics.thinned, tensor_basics.patches):
        assert view.data_ptr() == pointer
    assert tensor_basics.listed.data_ptr() != pointer
    image = tensor_basics.image
    torch.testing.assert_close(tensor_basics.patches[2, 1], image[14:21, 7:14])


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
def test_play_backward_matches_backward(computational_graph, shape, seed):
    torch.manual_seed(seed)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    random_expression(seed, leaves).backward()
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    computational_graph.play_backward(random_expression(seed, leaves))
    for leaf, grad in zip(leaves, expected):
        torch.testing.assert_close(leaf.grad, grad, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        computational_graph.play_backward(torch.ones(2, requires_grad=True) * 2)


def test_graph_nodes_list_each_note_once_after_its_parents(computational_graph):
    leaves = [torch.randn((), requires_grad=True) for _ in range(2)]
    nodes = computational_graph.graph_nodes(random_expression(0, leaves))
    assert len(set(nodes)) == len(nodes) > 20
    for i, node in enumerate(nodes):
        assert all(parent is None or parent in nodes[:i] for parent, _ in node.next_functions)


def test_drawing_places_every_note(computational_graph):
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


def test_complaint_tells_errors_from_silence(computational_graph):
    assert computational_graph.complaint(lambda: None) == "silence"
    assert computational_graph.complaint(lambda: 1 + None).startswith("TypeError: unsupported operand")

    def two_sentences():
        raise RuntimeError("first. second. third")

    assert computational_graph.complaint(two_sentences) == "RuntimeError: first"
    with pytest.raises(KeyError):
        computational_graph.complaint(lambda: {}["key"])


def test_train_matches_torch_and_each_mistake_shows(computational_graph):
    losses, weights = computational_graph.train(5, 0.3)
    x, y = computational_graph.x, computational_graph.y
    expected, model = [], [weight.detach().requires_grad_() for weight in computational_graph.fresh_weights()]
    assert [tuple(weight.shape) for weight in model] == [(32, 196), (10, 32)]
    for _ in range(5):
        loss = F.cross_entropy(
            torch.tanh(x @ model[0].T) @ model[1].T, y
        )  # (500, 196) -> (500, 32) -> (500, 10)
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
    assert min(computational_graph.circles) > 0.05
