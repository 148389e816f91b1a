"""Chapter 4: what the lessons computed, and how fast their kernels are."""

import math

import numpy as np
import pytest
import torch


@pytest.fixture
def tensor_basics(lesson):
    return lesson("tensor_basics")


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
