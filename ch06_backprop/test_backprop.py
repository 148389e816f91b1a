"""Chapter 6: what the lessons computed, and how fast their kernels are."""

import gc
import math
import re
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

TRIES = {  # lesson -> what each item of its "Try it" changes, and what must then be seen
    "chain_rule": [
        {"change": {'"b": 0.3': '"b": -6.0'}, "figure": 1, "prints": "z is used twice: -0.04"},
        {
            "change": {"branch_slopes = (0.6, 0.5)": "branch_slopes = (0.6, 0.5, 0.4)"},
            "figure": 2,
            "prints": "10 diamonds: 59,049 paths, 60 arrows",
        },
        {
            "add": """def log_softmax_vjp(log_probs, grad):
    return grad - np.exp(log_probs) * grad.sum()


z, grad = torch.tensor([0.5, -1.0, 2.0]).double(), torch.tensor([1.0, -3.0, 0.25]).double()
theirs = torch.func.vjp(lambda z: torch.log_softmax(z, dim=0), z)[1](grad)[0]
ours = log_softmax_vjp(torch.log_softmax(z, dim=0).numpy(), grad.numpy())
np.testing.assert_allclose(ours, theirs, rtol=1e-12)
print("log_softmax_vjp agrees", bool(np.abs(ours).min() > 0.01))
""",
            "prints": "log_softmax_vjp agrees True",
        },
    ],
    "forward_backward": [
        {
            "change": {
                "/ np.sqrt(n_in))": "/ np.sqrt(n_in / 2))",
            },
            "figure": 3,
            "prints": "share of the mean square that a layer keeps: forward ",
            "raises": "forward, a layer keeps about half",
        },
        {
            "change": {
                """    for piece in pieces:
        out = checkpoint(piece, out, use_reentrant=False)
""": """    out = checkpoint(nn.Sequential(*pieces), out, use_reentrant=False)
"""
            },
            "prints": "run_checkpointed             2.1",
        },
        {
            "add": """class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, grad_y):
        return grad_y * (1 - self.out * self.out)


z, weights = rng.normal(size=(2, 3, 4))
tanh = Tanh()
tanh.forward(z)
measured = measured_gradient(z, lambda: float((Tanh().forward(z) * weights).sum()))
np.testing.assert_allclose(tanh.backward(weights), measured, rtol=1e-6, atol=1e-8)
print("tanh backward agrees with the measured gradient")
""",
            "prints": "tanh backward agrees",
        },
    ],
    "backprop_ninja": [
        {
            "change": {"grad_z = grad_centered + grad_mean / batch_size": "grad_z = grad_centered"},
            "prints": "WRONG",
            "raises": "Not equal to tolerance",
        },
        {
            "change": {"learning_rate = 0.4": "learning_rate = 0.0004"},
            "figure": 2,
            "raises": "the network has learned more than letter frequencies",
        },
        {
            "add": """def layer_norm_backward(grad_out, z, eps=1e-5):
    inverse = 1 / np.sqrt(z.var(axis=1, keepdims=True) + eps)
    normalized = (z - z.mean(axis=1, keepdims=True)) * inverse
    stretch = (grad_out * normalized).mean(axis=1, keepdims=True)
    return inverse * (grad_out - grad_out.mean(axis=1, keepdims=True) - normalized * stretch)


grad_out = rng.normal(size=t.z.shape)
tensor = torch.tensor(t.z, requires_grad=True)
nn.functional.layer_norm(tensor, tensor.shape[1:]).backward(torch.from_numpy(grad_out))
np.testing.assert_allclose(layer_norm_backward(grad_out, t.z), tensor.grad, rtol=1e-9, atol=1e-12)
print("layer norm backward agrees")
""",
            "prints": "layer norm backward agrees",
        },
    ],
    "weight_init": [
        {
            "change": {"gaussian(1.0)": "gaussian(1.6 / np.sqrt(width))"},
            "figure": 1,
            "raises": "too large: the gradient explodes",
        },
        {
            "change": {"n_steps = 100": "n_steps = 200"},
            "figure": 3,
            "raises": "with twenty layers no other start does within these steps",
        },
        {
            "add": """def orthogonal(n_out, n_in, rng):
    q, r = np.linalg.qr(rng.normal(size=(n_out, n_in)))
    return q * np.sign(np.diag(r))


for init in (orthogonal, he_normal):
    h = deep_x
    sizes = []
    for _ in range(50):
        h = h @ init(width, width, rng).T
        sizes.append(h.std())
    level = abs(sizes[-1] / sizes[0] - 1) < 0.05
    print(f"{init.__name__:20s}{sizes[0]:12.4g}{sizes[-1]:12.4g}   level {level}")
""",
            "prints": "level True",
        },
    ],
    "tensor_autograd": [
        {
            "change": {
                "            np.add.at(grad_all, key, grad)\n": "            grad_all[key] += grad\n",
            },
            "raises": "Tensor and torch.Tensor disagree",
        },
        {
            "change": {"initial_weights([2, 16, 16, 1], rng)": "initial_weights([2, 32, 32, 1], rng)"},
            "figure": 1,
            "prints": "Tensor                        51",
        },
        {
            "add": """def maximum(a, b):
    share = (a.data > b.data) + 0.5 * (a.data == b.data)
    return Tensor(np.maximum(a.data, b.data), (a, b), lambda grad: (grad * share, grad * (1 - share)), "max")


arrays = [np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])]
ours = [Tensor(array) for array in arrays]
maximum(*ours).sum().backward()
theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
torch.maximum(*theirs).sum().backward()
print("maximum", *(tensor.grad.tolist() for tensor in (*ours, *theirs)))
""",
            "prints": "maximum [0.0, 0.5, 1.0] [1.0, 0.5, 0.0] [0.0, 0.5, 1.0] [1.0, 0.5, 0.0]",
        },
    ],
    "micrograd": [
        {
            "change": {"    model.zero_grad()\n    loss.backward()": "    loss.backward()"},
            "figure": 2,
        },
        {
            "change": {"Value(rng.uniform(-1, 1))": "Value(0.0 * rng.uniform(-1, 1))"},
            "figure": 2,
            "raises": "the boundary moves most in the first steps",
        },
        {
            "add": """def softplus(x):
    return Value(math.log1p(math.exp(x.data)), (x,), "softplus", (1 / (1 + math.exp(-x.data)),))


ours, chained = Value(0.5), Value(0.5)
softplus(ours).backward()
(1 + chained.exp()).log().backward()
print(f"softplus: one node {ours.grad:.12f}, three nodes {chained.grad:.12f}")
""",
            "prints": "softplus: one node 0.622459331202, three nodes 0.622459331202",
        },
    ],
}


@pytest.fixture
def chain_rule(lesson):
    return lesson("chain_rule")


@pytest.fixture
def forward_backward(lesson):
    return lesson("forward_backward")


@pytest.fixture
def micrograd(lesson):
    return lesson("micrograd")


@pytest.fixture
def backprop_ninja(lesson):
    return lesson("backprop_ninja")


@pytest.fixture
def weight_init(lesson):
    return lesson("weight_init")


@pytest.fixture
def tensor_autograd(lesson):
    return lesson("tensor_autograd")


# 6.1 chain_rule


def random_graph(seed):
    """Twelve nodes in the lesson's form, each made from two earlier ones; they take floats or tensors."""
    rng = np.random.default_rng(seed)
    names, graph = ["x", "y"], {}
    kinds = (
        (lambda a, b: a + b, lambda a, b: (1.0, 1.0)),
        (lambda a, b: a * b, lambda a, b: (b, a)),
        (lambda a, b: a / (1 + b * b), lambda a, b: (1 / (1 + b * b), -2 * a * b / (1 + b * b) ** 2)),
    )
    for i in range(12):
        parents = tuple(names[k] for k in rng.choice(len(names), size=2, replace=False))
        graph[f"n{i}"] = (parents, *kinds[rng.integers(3)])
        names.append(f"n{i}")
    return graph, dict(zip("xy", rng.normal(size=2).tolist()))


@pytest.mark.parametrize("seed", range(10))
def test_graph_derivatives_match_autograd_and_the_sum_over_paths(chain_rule, seed):
    graph, leaves = random_graph(seed)
    values = chain_rule.evaluate(graph, leaves)
    grads = chain_rule.backward(graph, values, "n11")
    tensors = {name: torch.tensor(v, dtype=torch.float64, requires_grad=True) for name, v in leaves.items()}
    expected = chain_rule.evaluate(graph, tensors)
    theirs = torch.autograd.grad(expected["n11"], list(expected.values()), allow_unused=True)
    for name, grad in zip(expected, theirs, strict=True):
        np.testing.assert_allclose(values[name], expected[name].item(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(grads[name], 0.0 if grad is None else grad.item(), rtol=1e-10, atol=1e-12)
        by_paths = chain_rule.sum_over_paths(graph, values, name, "n11")
        np.testing.assert_allclose(by_paths, grads[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_gated_neuron_matches_autograd(chain_rule, seed):
    numbers = np.random.default_rng(seed).normal(size=4)
    leaves = dict(zip("wxby", numbers.tolist()))
    grads = chain_rule.backward(chain_rule.graph, chain_rule.evaluate(chain_rule.graph, leaves), "L")
    w, x, b, y = tensors = [torch.tensor(number, requires_grad=True) for number in numbers]
    (F.silu(w * x + b) - y).square().backward()
    np.testing.assert_allclose(
        [grads[name] for name in "wxby"], [t.grad for t in tensors], rtol=1e-10, atol=1e-12
    )


def test_graph_parent_used_twice_gets_two_shares(chain_rule):
    square = {"f": (("x", "x"), lambda a, b: a * b, lambda a, b: (b, a))}
    values = chain_rule.evaluate(square, {"x": 3.0})
    assert chain_rule.backward(square, values, "f") == {"x": 6.0, "f": 1.0}
    with pytest.raises(ValueError, match="f uses a parent twice"):
        chain_rule.sum_over_paths(square, values, "x", "f")


def test_graph_refuses_slopes_that_do_not_fit_the_parents(chain_rule):
    faulty = {"f": (("x", "y"), lambda x, y: x + y, lambda x, y: (1.0,))}
    with pytest.raises(ValueError):
        chain_rule.backward(faulty, chain_rule.evaluate(faulty, {"x": 1.0, "y": 2.0}), "f")


def test_nudge_moves_one_node_and_what_follows(chain_rule):
    before = chain_rule.evaluate(chain_rule.graph, chain_rule.leaves)
    for name in ("b", "z"):
        after = chain_rule.evaluate(chain_rule.graph, chain_rule.leaves, name, 0.5)
        assert after[name] == pytest.approx(before[name] + 0.5)
        assert after["p"] == before["p"] and after["L"] != before["L"]
    assert chain_rule.leaves == {name: before[name] for name in chain_rule.leaves}


def test_sigmoid_matches_pytorch_far_out(chain_rule):
    z = np.array([-1e4, -30.0, -0.5, 0.0, 2.0, 1e4])
    np.testing.assert_allclose(
        chain_rule.sigmoid(z), torch.sigmoid(torch.from_numpy(z)), rtol=1e-10, atol=1e-12
    )


def test_paths_double_with_each_diamond(chain_rule):
    assert chain_rule.paths({}, "x", "x") == [[]]
    assert chain_rule.paths(chain_rule.graph, "s", "L") == [[("s", "h"), ("h", "e"), ("e", "L")]]
    assert chain_rule.paths(chain_rule.graph, "L", "w") == []
    assert chain_rule.n_paths == [2**n for n in chain_rule.sizes]
    assert chain_rule.n_arrows == [4 * n for n in chain_rule.sizes]
    values = chain_rule.evaluate(chain_rule.row_of_diamonds(3, (0.6, 0.5)), {"x0": 2.0})
    assert values["x3"] == pytest.approx(2 * 1.1**3)
    three = chain_rule.row_of_diamonds(2, (0.5, 0.25, 2.0))
    assert len(chain_rule.paths(three, "x0", "x2")) == 9
    values = chain_rule.evaluate(three, {"x0": 1.0})
    assert (
        chain_rule.backward(three, values, "x2")["x0"]
        == chain_rule.sum_over_paths(three, values, "x0", "x2")
        == 2.75**2
    )


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5)])
def test_chain_of_vjps_matches_autograd(chain_rule, shape):
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(size=(*shape, 11)), rng.normal(size=(*shape, 3))
    w1, w2 = rng.normal(size=(4, 11)), rng.normal(size=(3, 4))
    hidden = np.tanh(x @ w1.T)
    ours = chain_rule.linear_vjp(w1, chain_rule.tanh_vjp(hidden, chain_rule.linear_vjp(w2, cotangent)))
    function = lambda x: torch.tanh(x @ torch.from_numpy(w1).T) @ torch.from_numpy(w2).T
    expected = torch.func.vjp(function, torch.from_numpy(x))[1](torch.from_numpy(cotangent))[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


def test_vjps_name_the_shapes(chain_rule):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4, 5\)"):
        chain_rule.linear_vjp(np.ones((4, 5)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"\(3, 1\).*\(3,\)"):
        chain_rule.tanh_vjp(np.ones(3), np.ones((3, 1)))


def test_jacobian_by_columns_matches_jacrev(chain_rule):
    np.testing.assert_allclose(chain_rule.columns, chain_rule.by_rows, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(chain_rule.jacobian, chain_rule.by_rows, rtol=1e-10, atol=1e-12)
    scores = chain_rule.weight2 @ chain_rule.hidden
    np.testing.assert_allclose(chain_rule.network(chain_rule.image), scores, rtol=1e-10, atol=1e-12)


# 6.2 forward_backward


def torch_copy(layers):
    """The same network in PyTorch, float64, with the same parameters."""
    modules = []
    for layer in layers:
        if hasattr(layer, "weight"):
            n_out, n_in = layer.weight.shape
            modules.append(nn.Linear(n_in, n_out, dtype=torch.float64))
            modules[-1].load_state_dict(
                {"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)}
            )
        else:
            modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def random_network(forward_backward, sizes, seed=0):
    """A network from `build` with random biases, too."""
    rng = np.random.default_rng(seed)
    layers = forward_backward.build(sizes, rng)
    for layer in layers[::2]:
        layer.bias += rng.normal(size=layer.bias.shape)
    return layers, rng


@pytest.mark.parametrize(
    "batch_size, sizes", [(1, (1, 1)), (3, (5, 7, 2)), (7, (4, 1, 3, 2)), (1, (2, 11, 1))]
)
def test_layer_objects_match_autograd(forward_backward, batch_size, sizes):
    layers, rng = random_network(forward_backward, sizes)
    x = rng.normal(size=(batch_size, sizes[0]))
    cotangent = rng.normal(size=(batch_size, sizes[-1]))
    model = torch_copy(layers)
    inputs = torch.from_numpy(x).requires_grad_()
    expected = model(inputs)
    (expected * torch.from_numpy(cotangent)).sum().backward()

    out = forward_backward.forward(layers, x)
    np.testing.assert_allclose(out, expected.detach(), rtol=1e-10, atol=1e-12)
    forward_backward.backward(layers, cotangent)
    for (parameter, grad), theirs in zip(
        forward_backward.parameters_and_grads(layers), model.parameters(), strict=True
    ):
        assert grad.shape == parameter.shape
        np.testing.assert_allclose(grad, theirs.grad, rtol=1e-10, atol=1e-12)
    for layer in reversed(layers):
        cotangent = layer.backward(cotangent)
    np.testing.assert_allclose(cotangent, inputs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3)])
def test_mse_matches_pytorch(forward_backward, shape):
    rng = np.random.default_rng(0)
    y, target = rng.normal(size=(2, *shape))
    criterion = forward_backward.MSE()
    tensor = torch.tensor(y, requires_grad=True)
    expected = F.mse_loss(tensor, torch.from_numpy(target))
    expected.backward()
    np.testing.assert_allclose(criterion.forward(y, target), expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(criterion.backward(), tensor.grad, rtol=1e-10, atol=1e-12)


def test_layer_relu_has_no_gradient_at_the_kink(forward_backward):
    relu = forward_backward.ReLU()
    assert relu.forward(np.array([-1.0, 0.0, 2.0])).tolist() == [0, 0, 2]
    assert relu.backward(np.array([3.0, 3.0, 3.0])).tolist() == [0, 0, 3]


def test_layers_name_the_shapes(forward_backward):
    linear = forward_backward.Linear(3, 2, np.random.default_rng(0))
    for shape in ((4, 2), (3,)):
        with pytest.raises(ValueError, match=r"\(2, 3\)"):
            linear.forward(np.ones(shape))
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
        forward_backward.MSE().forward(np.ones((4, 1)), np.ones(4))


def test_linear_starts_with_fan_in_scaling(forward_backward):
    linear = forward_backward.Linear(400, 300, np.random.default_rng(0))
    assert linear.weight.std() * math.sqrt(400) == pytest.approx(1, abs=4 / math.sqrt(2 * 120_000))
    assert not linear.bias.any()
    assert forward_backward.Linear(2, 3, np.random.default_rng(0), np.float32).weight.dtype == np.float32


def test_cache_holds_inputs_and_one_byte_a_relu(forward_backward):
    layers, rng = random_network(forward_backward, (5, 7, 2))
    forward_backward.forward(layers, rng.normal(size=(11, 5)))
    assert forward_backward.cache_bytes(layers) == 11 * (8 * 5 + 8 * 7 + 7)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_backward_takes_two_products_a_layer_less_one(forward_backward, depth):
    layers, rng = random_network(forward_backward, [6] * (depth + 1))
    forward_backward.multiplications.clear()
    out = forward_backward.forward(layers, rng.normal(size=(4, 6)))
    assert forward_backward.multiplications == [4 * 6 * 6] * depth
    forward_backward.multiplications.clear()
    forward_backward.backward(layers, out)
    assert forward_backward.multiplications == [4 * 6 * 6] * (2 * depth - 1)


@pytest.mark.parametrize("batch_size, sizes", [(1, (1, 1)), (3, (5, 7, 2)), (7, (4, 1, 3, 2))])
def test_forward_mode_matches_the_gradient_along_a_direction(forward_backward, batch_size, sizes):
    layers, rng = random_network(forward_backward, sizes)
    x, target = rng.normal(size=(batch_size, sizes[0])), rng.normal(size=(batch_size, sizes[-1]))
    parameters = [array for layer in layers[::2] for array in (layer.weight, layer.bias)]
    directions = [rng.normal(size=parameter.shape) for parameter in parameters]
    model = torch_copy(layers)
    F.mse_loss(model(torch.from_numpy(x)), torch.from_numpy(target)).backward()
    expected = sum((p.grad.numpy() * d).sum() for p, d in zip(model.parameters(), directions, strict=True))
    ours = forward_backward.tangent_pass(layers, x, target, directions)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


def test_gradient_flow_matches_autograd(forward_backward):
    layers, rng = random_network(forward_backward, (3, 5, 4, 2))
    x, target = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    signal, flow = forward_backward.gradient_flow(layers, x, target)
    outputs = [torch.from_numpy(x)]
    for module in torch_copy(layers):
        outputs.append(module(outputs[-1]))
    linear_outputs = outputs[1::2]
    grads = torch.autograd.grad(F.mse_loss(outputs[-1], torch.from_numpy(target)), linear_outputs)
    for ours, theirs in ((signal, linear_outputs), (flow, grads)):
        np.testing.assert_allclose(
            ours, [t.detach().square().mean().sqrt() for t in theirs], rtol=1e-10, atol=1e-12
        )


def test_signal_and_gradient_fade_in_mirrored_directions(forward_backward):
    signal, flow = forward_backward.signal, forward_backward.flow
    assert signal[-1] < 0.2 * signal[0] and flow[0] < 0.2 * flow[-1]


def test_layer_objects_train_like_pytorch(forward_backward):
    np.testing.assert_allclose(forward_backward.losses, forward_backward.torch_losses, atol=1e-9)
    np.testing.assert_allclose(forward_backward.torch_slope, forward_backward.our_slope, rtol=1e-6)
    assert forward_backward.losses[-1] < 0.3 < 0.5 < forward_backward.losses[0]
    assert forward_backward.test_error < 0.7 * forward_backward.guess_error


def test_measured_gradient_puts_everything_back(forward_backward):
    parameter = np.array([[1.0, -2.0], [0.5, 3.0]])
    before = parameter.copy()
    slopes = forward_backward.measured_gradient(parameter, lambda: float((parameter**3).sum()))
    np.testing.assert_allclose(slopes, 3 * before**2, rtol=1e-8)
    assert np.array_equal(parameter, before)


def test_saved_megabytes_counts_what_backward_needs(forward_backward):
    x = torch.randn(1000, 250, requires_grad=True)  # 1 MB
    saved, total = forward_backward.saved_megabytes(lambda: (x.sigmoid() * 2).sum())
    assert saved == pytest.approx(1.0)  # the sigmoid's output, and nothing for a sum or a constant factor
    assert total.item() == pytest.approx((x.sigmoid() * 2).sum().item())
    saved, _ = forward_backward.saved_megabytes(lambda: nn.Linear(250, 10)(x).sum())
    assert saved == pytest.approx(1.0)  # the input; the weight is a parameter


def test_checkpointing_keeps_one_input_for_each_piece(forward_backward):
    one_input = 1024 * 512 * 4 / 1e6
    assert forward_backward.saved_mb["run_checkpointed"] == pytest.approx(4 * one_input)
    assert forward_backward.saved_mb["run_plain"] == pytest.approx(9 * one_input, rel=0.12)


def test_layers_keep_float32_and_leave_their_input_alone(forward_backward):
    rng = np.random.default_rng(0)
    layers = forward_backward.build((3, 4, 2), rng, np.float32)
    x = rng.normal(size=(5, 3)).astype(np.float32)
    before = x.copy()
    out = forward_backward.forward(layers, x)
    forward_backward.backward(layers, out)
    assert out.dtype == np.float32 and np.array_equal(x, before)
    assert {grad.dtype for _, grad in forward_backward.parameters_and_grads(layers)} == {np.dtype(np.float32)}
    whole = forward_backward.forward(
        forward_backward.build((3, 4, 2), np.random.default_rng(1)), np.ones((2, 3), int)
    )
    real = forward_backward.forward(
        forward_backward.build((3, 4, 2), np.random.default_rng(1)), np.ones((2, 3))
    )
    np.testing.assert_array_equal(whole, real)


@pytest.mark.parametrize("order", ["C", "F"])
def test_layers_do_not_depend_on_memory_layout(forward_backward, order):
    layers, rng = random_network(forward_backward, (5, 7, 2))
    x, grad = rng.normal(size=(6, 5)), rng.normal(size=(6, 2))
    grads = []
    for lay in (np.ascontiguousarray, lambda a: np.asarray(a, order=order)):
        forward_backward.forward(layers, lay(x))
        forward_backward.backward(layers, lay(grad))
        grads.append([g.copy() for _, g in forward_backward.parameters_and_grads(layers)])
    for ours, theirs in zip(*grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


# 6.3 micrograd

# one operation at a time, then random expressions of them
OPERATIONS = {
    "add": (lambda x, y, f: x + y),
    "subtract": (lambda x, y, f: x - y),
    "multiply": (lambda x, y, f: x * y),
    "divide": (lambda x, y, f: x / y),
    "negate": (lambda x, y, f: -x * y),
    "square": (lambda x, y, f: x**2 + y),
    "negative power": (lambda x, y, f: x**-3 + y),
    "zeroth power": (lambda x, y, f: x**0 + y),
    "number plus": (lambda x, y, f: 3 + x * y),
    "number minus": (lambda x, y, f: 3 - x * y),
    "number times": (lambda x, y, f: 3 * x + y),
    "number over": (lambda x, y, f: 3 / x + y),
    "over number": (lambda x, y, f: x / 3 + y),
    "number to the power": (lambda x, y, f: 2**x + y),
    "exp": (lambda x, y, f: f.exp(x) * y),
    "log": (lambda x, y, f: f.log(x * x) * y),
    "tanh": (lambda x, y, f: f.tanh(x) * y),
    "relu": (lambda x, y, f: f.relu(x) * y + f.relu(y)),
    "used twice": (lambda x, y, f: x + x + y),
    "diamond": (lambda x, y, f: (x + y) * (x - y) + (x + y)),
}


def value_gradients(function, numbers, micrograd):
    """Result and gradients by our engine, then by PyTorch."""
    values = [micrograd.Value(number) for number in numbers]
    out = function(*values, micrograd.Value)
    out.backward()
    tensors = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
    expected = function(*tensors, torch)
    expected.backward()
    return [out.data, *(v.grad for v in values)], [expected.item(), *(float(t.grad) for t in tensors)]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("seed", range(4))
def test_operation_matches_autograd(micrograd, name, seed):
    numbers = np.random.default_rng(seed).normal(size=2).tolist()
    ours, expected = value_gradients(OPERATIONS[name], numbers, micrograd)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("x, y", [(0.5, -1.5), (-2.0, 3.5)])
def test_the_expression_of_all_operations_has_its_value(micrograd, x, y):
    expected = math.tanh((x * y + 2) / (math.exp(x) + 1) - (3 - y) ** 2) + max(x - y, 0)
    expected += math.log(x * x + 1) - 1.5 / (2 + y * y) + 2**x
    ours = micrograd.everything(micrograd.Value(x), micrograd.Value(y), micrograd.Value)
    assert ours.data == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_random_expression_matches_autograd(micrograd, seed):
    """Thirty operations, each on results picked from all earlier ones: many nodes are used more than once."""

    def expression(x, y, f):
        rng = np.random.default_rng(seed)
        pool = [x, y]
        for _ in range(30):
            a, b = (pool[i] for i in rng.integers(len(pool), size=2))
            choices = (
                lambda a=a, b=b: a + b,
                lambda a=a, b=b: a - b,
                lambda a=a, b=b: f.tanh(a) * b,
                lambda a=a, b=b: a / (b * b + 1),
                lambda a=a: f.relu(a) + 0.1 * a,
                lambda a=a: f.exp(f.tanh(a)),
                lambda a=a: f.log(a * a + 1),
                lambda a=a: (f.tanh(a) + 2) ** 1.5,
            )
            pool.append(choices[rng.integers(len(choices))]())
        return sum(pool)

    numbers = np.random.default_rng(seed).normal(size=2).tolist()
    ours, expected = value_gradients(expression, numbers, micrograd)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_value_has_the_interface_of_micrograd(micrograd):
    """What programs written for the original rely on: names, argument order, attributes."""
    Value, MLP, Layer, Neuron = micrograd.Value, micrograd.MLP, micrograd.Layer, micrograd.Neuron
    a = Value(2.0, label="a")
    assert (a.data, a.grad, a.label, a._op, list(a._prev)) == (2.0, 0.0, "a", "", [])
    made = Value(3.0, (a,), "my op", label="b")
    assert (list(made._prev), made._op, made.label) == ([a], "my op", "b")
    assert repr(a) == "Value(data=2.0, grad=0.0)"
    out = a * 3
    out += 1
    assert [node._op for node in (out, out._prev[0])] == ["+", "*"]
    numpy_target = np.array([1, -1])[1]
    assert isinstance(1 + -numpy_target * a, Value) and (1 + -numpy_target * a).data == 3.0

    model = MLP(3, [4, 4, 1])
    assert [len(layer.neurons) for layer in model.layers] == [4, 4, 1]
    assert [neuron.nonlin for layer in model.layers for neuron in layer.neurons] == [True] * 8 + [False]
    assert len(model.parameters()) == 4 * 4 + 5 * 4 + 5
    assert isinstance(model([1.0, Value(2.0), -1]), Value)
    assert len(Layer(2, 3)([1.0, 2.0])) == 3
    neuron = Neuron(2, nonlin=False)
    neuron.w[0].data, neuron.w[1].data = -1.0, 0.5
    assert neuron([3.0, 4.0]).data == -1.0
    neuron([3.0, 4.0]).backward()
    model.zero_grad()
    neuron.zero_grad()
    assert all(parameter.grad == 0 for parameter in neuron.parameters() + model.parameters())
    assert repr(MLP(2, [2, 1])) == (
        "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]"
    )


def test_draft_overwrites_and_its_mend_adds(micrograd):
    grads = []
    for pass_on in (micrograd.set_parent_grads, micrograd.add_to_parent_grads):
        a = micrograd.Draft(3.0)
        node = a * a + a * a
        node.grad = 1.0
        for part in (node, *node._prev):
            pass_on(part)
        grads.append(a.grad)
    assert grads == [3.0, 12.0]


def test_wrong_order_loses_a_share(micrograd):
    assert micrograd.slope_along_a("fvu") == 7.0 and micrograd.slope_along_a("fuv") == 5.0


@pytest.mark.parametrize("seed", range(5))
def test_topological_order_lists_parents_first(micrograd, seed):
    rng = np.random.default_rng(seed)
    pool = [micrograd.Value(float(i)) for i in range(3)]
    for _ in range(30):
        a, b = (pool[i] for i in rng.integers(len(pool), size=2))
        pool.append(a * b if rng.random() < 0.5 else a + b)
    order = micrograd.topological_order(pool[-1])
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) and order[-1] is pool[-1]
    assert all(place[parent] < place[node] for node in order for parent in node._prev)


def test_whole_numbers_divide_and_raise_exactly(micrograd):
    x = micrograd.Value(3)
    quotient = x / np.int64(2)
    quotient.backward()
    assert (quotient.data, x.grad) == (1.5, 0.5)
    y = micrograd.Value(2)
    ratio = 1 / y
    ratio.backward()
    assert (ratio.data, y.grad) == (0.5, -0.25)
    assert (2 ** micrograd.Value(3.0)).data == 8.0
    with pytest.raises(ValueError):
        (-2) ** micrograd.Value(3.0)


def test_weights_start_between_minus_one_and_one(micrograd):
    weights = [w.data for neuron in micrograd.Layer(50, 40).neurons for w in neuron.w]
    assert -1 < min(weights) < -0.99 and 0.99 < max(weights) < 1
    assert abs(np.mean(weights)) < 4 / math.sqrt(3 * len(weights))


def test_value_with_children_but_no_slopes_is_refused(micrograd):
    with pytest.raises(ValueError):
        micrograd.Value(3.0, (micrograd.Value(1.0),), "unknown").backward()


def test_second_backward_gives_the_same_gradient(micrograd):
    x = micrograd.Value(0.7)
    out = (x * x).tanh() * x
    out.backward()
    first, x.grad = x.grad, 0.0
    out.backward()
    assert x.grad == first != 0


def test_leaves_collect_until_reset(micrograd):
    x = micrograd.Value(3.0)
    (x * x).backward()
    (x * x).backward()
    assert x.grad == 12.0


def test_deep_chain_needs_no_recursion(micrograd):
    x = out = micrograd.Value(1.0)
    for _ in range(100_000):
        out = out * 1.0
    out.backward()
    assert x.grad == 1.0


def test_value_relu_at_the_kink_and_on_nan(micrograd):
    x = micrograd.Value(0.0)
    x.relu().backward()
    assert x.grad == 0.0
    assert math.isnan(micrograd.Value(math.nan).relu().data)


def test_micrograd_names_the_fault(micrograd):
    value = micrograd.Value(-8.0)
    with pytest.raises(ValueError):
        value ** (1 / 3)  # Python would return a complex number
    with pytest.raises(TypeError, match="Value"):
        value**value
    for neuron in (micrograd.Neuron, micrograd.FusedNeuron):
        for length in (1, 3):
            with pytest.raises(ValueError):
                neuron(2)([1.0] * length)
    with pytest.raises(ValueError, match="1 scores for 2 targets"):
        micrograd.hinge_loss([value], [1, -1])
    with pytest.raises(ValueError, match="0 scores for 0 targets"):
        micrograd.hinge_loss([], [])
    with pytest.raises(ValueError, match=r"got \[0, 1\]"):
        micrograd.hinge_loss([value, value], [0, 1])


@pytest.mark.parametrize("n", [1, 7])
def test_hinge_loss_matches_pytorch(micrograd, n):
    rng = np.random.default_rng(n)
    targets = rng.choice([-1.0, 1.0], size=n)
    numbers = rng.normal(scale=3, size=n)
    scores = [micrograd.Value(number) for number in numbers.tolist()]
    loss = micrograd.hinge_loss(scores, targets.tolist())
    loss.backward()
    tensor = torch.tensor(numbers, requires_grad=True)
    expected = (1 - tensor * torch.from_numpy(targets)).relu().mean()
    expected.backward()
    np.testing.assert_allclose(loss.data, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose([s.grad for s in scores], tensor.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sizes", [(1, [1]), (3, [5, 2]), (2, [7, 1, 3])])
def test_fused_neuron_matches_plain(micrograd, sizes):
    plain, fused = micrograd.MLP(*sizes), micrograd.MLP(*sizes, neuron=micrograd.FusedNeuron)
    rng = np.random.default_rng(0)
    for p, q in zip(plain.parameters(), fused.parameters(), strict=True):
        p.data = q.data = rng.normal()
    x = rng.normal(size=sizes[0])
    cotangent = rng.normal(size=sizes[1][-1])
    inputs = []
    for model in (plain, fused):
        inputs.append([micrograd.Value(number) for number in x.tolist()])
        out = model(inputs[-1])
        sum(o * c for o, c in zip(out if isinstance(out, list) else [out], cotangent.tolist())).backward()
    grads = [[v.grad for v in [*model.parameters(), *x]] for model, x in zip((plain, fused), inputs)]
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-10, atol=1e-12)


def test_fused_neuron_takes_numbers_and_values_mixed(micrograd):
    grads = []
    for kind in (micrograd.Neuron, micrograd.FusedNeuron):
        neuron = kind(3, nonlin=False)
        for parameter, number in zip(neuron.parameters(), (0.5, -2.0, 3.0, 0.25), strict=True):
            parameter.data = number
        x = micrograd.Value(4.0)
        out = neuron([1.0, x, 2.0])
        out.backward()
        grads.append([out.data, x.grad, *(parameter.grad for parameter in neuron.parameters())])
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12)
    assert grads[0] == [-1.25, -2.0, 1.0, 4.0, 2.0, 1.0]


@pytest.mark.parametrize("seed", range(10))
def test_graph_is_drawn_left_to_right_without_overlaps(micrograd, seed):
    rng = np.random.default_rng(seed)
    pool = [micrograd.Value(float(i)) for i in range(3)]
    for _ in range(12):
        a, b = (pool[i] for i in rng.integers(len(pool), size=2))
        pool.append(a * b if rng.random() < 0.5 else a + b)
    root = sum(pool[3:], pool[0])
    place = micrograd.layout(root)
    assert len(place) == len(micrograd.topological_order(root))
    assert all(place[parent][0] < place[node][0] for node in place for parent in node._prev)
    for column in {column for column, _ in place.values()}:
        rows = sorted(row for c, row in place.values() if c == column)
        assert all(upper - lower >= 1 for lower, upper in zip(rows, rows[1:]))


def test_graph_shows_values_and_gradients(micrograd):
    x = micrograd.Value(1.5, label="x")
    out = x * 2.0
    out.backward()
    fig, ax = plt.subplots()
    micrograd.draw_graph(out, ax)
    texts = sorted(text.get_text() for text in ax.texts)
    assert texts == sorted(
        ["", "", "x\nvalue 1.50\ngrad 2.00", "\nvalue 2.00\ngrad 1.50", "×\nvalue 3.00\ngrad 1.00"]
    )
    assert ax.get_xlim() == (-0.5, 1.5) and ax.get_ylim()[0] < 0 and ax.get_ylim()[1] > 1
    plt.close(fig)


def test_pausing_the_collector_is_undone(micrograd):
    assert micrograd.uninterrupted(gc.isenabled) is False
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        micrograd.uninterrupted(lambda: 1 / 0)
    assert gc.isenabled()


def test_collector_is_watched_and_left_alone(micrograd):
    callbacks = list(gc.callbacks)
    result, seconds, collecting, n_runs = micrograd.watch_collector(
        lambda: (gc.collect(), gc.collect(), "done")[-1]
    )
    assert result == "done" and n_runs >= 2 and 0 < collecting <= seconds
    assert gc.callbacks == callbacks


def test_score_map_and_accuracy_know_which_input_is_which(micrograd):
    model = micrograd.MLP(2, [1])
    for parameter, number in zip(model.parameters(), (2.0, -1.0, 0.5), strict=True):
        parameter.data = number
    scores = micrograd.score_map(model, [0.0, 1.0, 2.0], [0.0, 10.0])
    np.testing.assert_allclose(scores, [[0.5, 2.5, 4.5], [-9.5, -7.5, -5.5]])
    inputs = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 9.0]]
    assert micrograd.accuracy(model, inputs, [1.0, -1.0, 1.0, 1.0]) == 0.75
    with pytest.raises(ValueError):
        micrograd.accuracy(model, inputs, [1.0, -1.0, 1.0])


def test_training_step_moves_against_the_gradient(micrograd):
    model = micrograd.MLP(1, [1])
    weight, bias = model.parameters()
    weight.data, bias.data = 0.5, 0.25
    loss = micrograd.training_step(model, [[1.0], [3.0]], [1.0, -1.0], learning_rate=0.1, price=0.5)
    assert loss.data == pytest.approx((0.25 + 2.75) / 2 + 0.5 * (0.25 + 0.0625))
    assert (weight.data, bias.data) == (pytest.approx(0.5 - 0.1 * 1.5), pytest.approx(0.25 - 0.1 * 0.25))


def test_micrograd_trains_like_pytorch(micrograd):
    np.testing.assert_allclose(micrograd.losses, micrograd.torch_losses, atol=1e-9)
    assert micrograd.losses[-1] < 0.2 < 0.5 < micrograd.losses[0]
    assert micrograd.test_accuracy > 0.9


def test_hidden_layers_help_on_the_moons_only(micrograd):
    share = micrograd.held_out
    assert abs(share["penguins, one neuron"] - share["penguins, hidden layers"]) < 0.05
    assert share["moons, one neuron"] < 0.95 < share["moons, hidden layers"]


# 6.4 backprop_ninja


def test_examples_slide_over_every_name(backprop_ninja):
    x, y = backprop_ninja.examples(["bo", "a"], 2)
    assert x.tolist() == [[0, 0], [0, 2], [2, 15], [0, 0], [0, 1]]
    assert y.tolist() == [2, 15, 0, 1, 0]
    x, y = backprop_ninja.examples([], 3)
    assert x.shape == (0, 3) and y.shape == (0,)
    for name, unknown in (("Bo", "B"), ("zoë", "ë"), ("a.b", ".")):
        with pytest.raises(ValueError, match=rf"\['{unknown}'\]"):
            backprop_ninja.examples([name], 2)


def test_every_intermediate_gradient_matches_autograd(backprop_ninja):
    assert len(backprop_ninja.differences) == 24
    assert max(backprop_ninja.differences.values()) < 1e-14
    for name in (*vars(backprop_ninja.t), *backprop_ninja.parameters):
        assert name == "loss" or name in backprop_ninja.differences


def test_compare_refuses_another_shape_and_sees_a_wrong_number(backprop_ninja, capsys, monkeypatch):
    monkeypatch.setattr(backprop_ninja, "differences", {})
    with pytest.raises(ValueError, match=r"grad_bias2 must have the shape \(27,\), not \(1, 27\)"):
        backprop_ninja.compare(bias2=backprop_ninja.grad_bias2[None])
    wrong = backprop_ninja.grad_bias2.copy()
    wrong[3] += 1e-9
    backprop_ninja.compare(bias2=wrong)
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize("n", [1, 7, 32])
def test_forward_in_small_steps_matches_the_library(backprop_ninja, n):
    x, y = backprop_ninja.train_x[:n], backprop_ninja.train_y[:n]
    t = backprop_ninja.forward(backprop_ninja.parameters, x, y, np)
    p = {name: torch.from_numpy(value) for name, value in backprop_ninja.parameters.items()}
    z = F.linear(F.embedding(torch.from_numpy(x), p["embedding"]).flatten(1), p["weight1"], p["bias1"])
    normed = lambda z: F.batch_norm(z, None, None, p["gamma"], p["beta"], training=True)
    z = normed(z) if n > 1 else p["beta"][None]  # it refuses a batch of one, whose normalized values are 0
    logits = F.linear(z.tanh(), p["weight2"], p["bias2"])
    np.testing.assert_allclose(t.logits, logits, rtol=1e-10, atol=1e-12)
    assert t.loss == pytest.approx(F.cross_entropy(logits, torch.from_numpy(y)).item(), rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("n, n_classes", [(1, 1), (1, 5), (7, 3), (64, 27)])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_fast"])
def test_softmax_cross_entropy_matches_pytorch(backprop_ninja, name, n, n_classes, scale):
    rng = np.random.default_rng(n)
    logits, targets = scale * rng.normal(size=(n, n_classes)), rng.integers(n_classes, size=n)
    before = logits.copy()
    loss, grad = getattr(backprop_ninja, name)(logits, targets)
    theirs = torch.tensor(logits, requires_grad=True)
    expected = F.cross_entropy(theirs, torch.from_numpy(targets))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(grad, theirs.grad, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_fast"])
def test_softmax_cross_entropy_does_not_depend_on_memory_layout(backprop_ninja, name):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(7, 5)), rng.integers(5, size=7)
    function = getattr(backprop_ninja, name)
    loss, grad = function(logits, targets)
    wide = np.zeros((7, 10))
    wide[:, ::2] = logits
    for other in (np.asfortranarray(logits), wide[:, ::2], logits[::-1][::-1]):
        other_loss, other_grad = function(other, targets)
        assert other_loss == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(other_grad, grad, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(other, logits)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_cross_entropy_fast"])
def test_softmax_cross_entropy_takes_whole_numbers_forbidden_classes_and_float32(backprop_ninja, name):
    function = getattr(backprop_ninja, name)
    whole, targets = np.array([[1, 2, 0], [0, -3, 4]]), np.array([1, 0])
    loss, grad = function(whole, targets)
    expected_loss, expected_grad = function(whole.astype(float), targets)
    assert loss == pytest.approx(expected_loss, rel=1e-14) and loss > 0.1
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-14)
    loss, grad = function(np.array([[-np.inf, 0.0, 1.0]]), np.array([2]))
    assert loss == pytest.approx(math.log1p(math.exp(-1)), rel=1e-12) and grad[0, 0] == 0
    loss, grad = function(whole.astype(np.float32), targets)
    assert loss.dtype == grad.dtype == np.float32


def test_backprop_ninja_names_the_fault(backprop_ninja):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3,\)"):
        backprop_ninja.softmax_cross_entropy(np.ones((2, 3)), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        backprop_ninja.softmax_cross_entropy(np.ones(3), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"\(0, 3\).*\(0,\)"):
        backprop_ninja.softmax_cross_entropy(np.ones((0, 3)), np.array([], dtype=int))
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        backprop_ninja.batch_norm(np.ones((0, 3)), np.ones(3), np.ones(3))
    for targets in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="classes are 3"):
            backprop_ninja.softmax_cross_entropy(np.ones((2, 3)), np.array(targets))
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(1,\)"):
        backprop_ninja.linear(np.ones((4, 3)), np.ones((2, 3)), np.ones(1))
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(1,\).*\(3,\)"):
        backprop_ninja.batch_norm(np.ones((4, 3)), np.ones(1), np.ones(3))
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(3,\).*\(1,\)"):
        backprop_ninja.batch_norm(np.ones((4, 3)), np.ones(3), np.ones(1))


@pytest.mark.parametrize("n, n_in, n_out", [(1, 1, 1), (5, 7, 3)])
def test_linear_matches_pytorch(backprop_ninja, n, n_in, n_out):
    rng = np.random.default_rng(n)
    arrays = rng.normal(size=(n, n_in)), rng.normal(size=(n_out, n_in)), rng.normal(size=n_out)
    cotangent = rng.normal(size=(n, n_out))
    out = backprop_ninja.linear(*arrays)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = F.linear(*tensors)
    grads = torch.autograd.grad(expected, tensors, torch.from_numpy(cotangent))
    ours = backprop_ninja.linear_backward(cotangent, *arrays[:2])
    for a, b in zip((out, *ours), (expected.detach(), *grads), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n, width", [(2, 1), (7, 5), (33, 8)])
@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_fast"])
def test_batch_norm_matches_pytorch(backprop_ninja, name, n, width):
    rng = np.random.default_rng(n)
    z, cotangent = 3 * rng.normal(size=(2, n, width)) + 2
    gamma, beta = rng.normal(size=(2, width))
    out, cache = getattr(backprop_ninja, name)(z, gamma, beta)
    ours = out, *getattr(backprop_ninja, f"{name}_backward")(cotangent, cache)
    tensors = [torch.tensor(a, requires_grad=True) for a in (z, gamma, beta)]
    expected = F.batch_norm(tensors[0], None, None, *tensors[1:], training=True)
    grads = torch.autograd.grad(expected, tensors, torch.from_numpy(cotangent))
    for a, b in zip(ours, (expected.detach(), *grads), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cache[3], z.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(cache[4], z.var(axis=0), rtol=1e-10)


@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_fast"])
def test_batch_norm_takes_whole_numbers_any_layout_and_float32(backprop_ninja, name):
    forward, backward = getattr(backprop_ninja, name), getattr(backprop_ninja, f"{name}_backward")
    whole, ones, zeros = np.array([[1, 2], [3, 6], [5, 7]]), np.ones(2, int), np.zeros(2, int)
    grad = np.array([[1, -2], [0, 3], [2, 2]])
    z = whole.astype(float)
    out, cache = forward(z, ones.astype(float), zeros.astype(float))
    expected = out, *backward(grad.astype(float), cache)
    assert out[0, 0] == pytest.approx(-1.2247, abs=1e-3)
    for lay in (np.ascontiguousarray, np.asfortranarray):
        out, cache = forward(lay(whole), ones, zeros)
        for ours, theirs in zip((out, *backward(lay(grad), cache)), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14)
    single = [a.astype(np.float32) for a in (whole, ones, zeros, grad)]
    out, cache = forward(*single[:3])
    assert {a.dtype for a in (out, *backward(single[3], cache))} == {np.dtype(np.float32)}
    one, _ = forward(z[:1], ones, zeros)
    np.testing.assert_array_equal(one, np.zeros((1, 2)))


def test_whole_model_matches_autograd_where_letters_repeat(backprop_ninja):
    rng = np.random.default_rng(5)
    p = backprop_ninja.initial_parameters(4, 11, rng)
    x, y = rng.integers(6, size=(13, 3)), rng.integers(27, size=13)
    loss, gradients, (mean, variance) = backprop_ninja.loss_and_gradients(p, x, y)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in p.items()}
    theirs = backprop_ninja.forward(tensors, x, y, torch)
    theirs.loss.backward()
    assert loss == pytest.approx(theirs.loss.item(), rel=1e-12)
    for name, tensor in tensors.items():
        np.testing.assert_allclose(gradients[name], tensor.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mean, theirs.mean.detach(), rtol=1e-12)
    np.testing.assert_allclose(variance, theirs.variance.detach(), rtol=1e-12)


def test_initial_parameters_keep_their_spread(backprop_ninja):
    p = backprop_ninja.initial_parameters(40, 300, np.random.default_rng(0))
    shapes = {name: value.shape for name, value in p.items()}
    assert shapes["weight1"] == (300, 120) and shapes["weight2"] == (27, 300) and shapes["bias2"] == (27,)
    spreads = {
        "embedding": 1,
        "weight1": 120**-0.5,
        "weight2": 300**-0.5,
        "bias1": 0.1,
        "beta": 0.1,
        "gamma": 0.1,
    }
    for name, spread in spreads.items():
        assert p[name].std() == pytest.approx(spread, rel=0.15), name
        assert p[name].mean() == pytest.approx(float(name == "gamma"), abs=0.2 * spread), name
    assert 0.05 < p["bias2"].std() < 0.2


def test_scores_match_pytorch_in_eval_mode(backprop_ninja):
    p = {name: torch.from_numpy(value) for name, value in backprop_ninja.trained.items()}
    statistics = [torch.from_numpy(a) for a in backprop_ninja.statistics]
    x = backprop_ninja.test_x[:50]
    z = F.linear(F.embedding(torch.from_numpy(x), p["embedding"]).flatten(1), p["weight1"], p["bias1"])
    z = F.batch_norm(z, *statistics, p["gamma"], p["beta"], training=False)
    expected = F.linear(z.tanh(), p["weight2"], p["bias2"])
    ours = backprop_ninja.predict(backprop_ninja.trained, backprop_ninja.statistics, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


def test_names_survive_large_logits(backprop_ninja, monkeypatch):
    alphabet = lambda p, s, x: (
        1e4 * np.eye(27)[(x[:, -1] + 1) % 27]
    )  # (n, context) -> (n, 27): the next letter
    monkeypatch.setattr(backprop_ninja, "predict", alphabet)
    names = backprop_ninja.sample_names(2, {}, (), np.random.default_rng(0), longest=5)
    assert names == ["abcde", "abcde"]


def test_samples_follow_the_probabilities(backprop_ninja):
    n = 20_000
    trained = backprop_ninja.trained, backprop_ninja.statistics
    samples = backprop_ninja.sample_names(n, *trained, np.random.default_rng(0), longest=2)
    logits = backprop_ninja.predict(*trained, np.zeros((1, 3), dtype=int))[0]
    probs = torch.softmax(torch.from_numpy(logits), dim=0).numpy()
    first = np.bincount([backprop_ninja.letters.index(s[:1] or ".") for s in samples], minlength=27) / n
    assert np.abs(first - probs).max() < 4 * math.sqrt(0.25 / n)
    after_a = np.array([s[1:] or "." for s in samples if s.startswith("a")])
    context = np.array([[0, 0, 1]])
    probs = torch.softmax(torch.from_numpy(backprop_ninja.predict(*trained, context)[0]), dim=0).numpy()
    second = np.array([(after_a == letter).mean() for letter in backprop_ninja.letters])
    assert np.abs(second - probs).max() < 4 * math.sqrt(0.25 / len(after_a))
    assert max(map(len, samples)) == 2


def test_hand_training_equals_pytorch_and_invents_names(backprop_ninja):
    np.testing.assert_allclose(backprop_ninja.losses[:200], backprop_ninja.torch_losses, atol=1e-9, rtol=0)
    np.testing.assert_array_equal(backprop_ninja.losses[:200], backprop_ninja.early_losses)
    assert backprop_ninja.test_loss < 2.3 < 3 < backprop_ninja.losses[0]
    assert 0.5 < backprop_ninja.new_share < 0.98
    assert backprop_ninja.invented and not set(backprop_ninja.invented) & set(backprop_ninja.names)


# 6.5 weight_init


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("batch_size, sizes", [(1, (1, 1)), (3, (5, 7, 2)), (7, (4, 4, 4, 4))])
def test_propagate_matches_autograd(weight_init, activation, batch_size, sizes):
    rng = np.random.default_rng(batch_size)
    x = rng.normal(size=(batch_size, sizes[0]))
    weights = [rng.normal(size=(n_out, n_in)) for n_in, n_out in zip(sizes, sizes[1:])]
    cotangent = rng.normal(size=(batch_size, sizes[-1]))
    zs, grads = weight_init.propagate(x, weights, activation, cotangent)
    h, expected = torch.from_numpy(x), []
    for weight in weights:
        expected.append(F.linear(h, torch.from_numpy(weight)).requires_grad_())
        h = getattr(torch, activation)(expected[-1])
    expected_grads = torch.autograd.grad((h * torch.from_numpy(cotangent)).sum(), expected)
    for ours, theirs in zip(zs + grads, [*expected, *expected_grads], strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-10, atol=1e-12)


def test_propagate_names_the_shapes(weight_init):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4, 5\)"):
        weight_init.propagate(np.ones((2, 3)), [np.ones((4, 5))], "relu", np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(2, 1\)"):
        weight_init.propagate(np.ones((2, 3)), [np.ones((4, 3))], "relu", np.ones((2, 1)))


@pytest.mark.parametrize("n_out, n_in", [(200, 500), (500, 200)])
@pytest.mark.parametrize(
    "name, reference",
    [
        ("xavier_normal", nn.init.xavier_normal_),
        ("xavier_uniform", nn.init.xavier_uniform_),
        ("he_normal", lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu")),
    ],
)
def test_initialization_draws_the_distribution_of_nn_init(weight_init, name, reference, n_out, n_in):
    torch.manual_seed(0)
    ours = getattr(weight_init, name)(n_out, n_in, np.random.default_rng(0))
    theirs = reference(torch.empty(n_out, n_in, dtype=torch.float64)).numpy()
    assert ours.shape == theirs.shape
    assert abs(ours.mean()) < 5 * ours.std() / math.sqrt(ours.size)
    assert ours.var() / theirs.var() == pytest.approx(1, abs=0.03)
    a, b = np.sort(ours, axis=None), np.sort(theirs, axis=None)
    gap = np.abs(np.searchsorted(a, b) / a.size - np.arange(b.size) / b.size).max()
    assert gap < 2.2 * math.sqrt(2 / a.size)  # Kolmogorov and Smirnov: one in ten thousand by chance
    if name == "xavier_uniform":
        assert np.abs(ours).max() == pytest.approx(math.sqrt(6 / (n_in + n_out)), rel=1e-3)


def test_gaussian_has_the_scale_it_was_given(weight_init):
    weight = weight_init.gaussian(0.3)(300, 200, np.random.default_rng(0))
    assert weight.shape == (300, 200)
    assert weight.std() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(
    "name, expected",
    [("relu", math.sqrt(2)), ("linear", 1.0), ("leaky_relu", math.sqrt(2 / (1 + 0.01**2))), ("selu", 1.0)],
)
def test_gain_matches_closed_form(weight_init, name, expected):
    assert weight_init.gains[name] == pytest.approx(expected, abs=1e-6)


def test_mean_squares_match_a_sample(weight_init):
    z = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = [float((torch.tanh(z) ** 2).mean()), float(((1 - torch.tanh(z) ** 2) ** 2).mean())]
    assert weight_init.mean_squares(torch.tanh) == pytest.approx(values, abs=0.005)


@pytest.mark.parametrize("name", ["he_normal", "xavier_normal"])
def test_squares_by_layer_match_pytorch(weight_init, name):
    init = getattr(weight_init, name)
    ours = weight_init.squares_by_layer(init, 17, 4, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    h, expected = torch.from_numpy(rng.normal(size=(32, 17))), []
    for _ in range(4):
        z = F.linear(h, torch.from_numpy(init(17, 17, rng)))
        expected.append(z.square().mean().item())
        h = z.relu()
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_signal_follows_theory(weight_init):
    small = weight_init.signal["too small, tanh"]
    np.testing.assert_allclose(small[1:] / small[:-1], 0.01 * math.sqrt(weight_init.width), rtol=0.15)
    xavier = weight_init.signal["Xavier, ReLU"]
    assert (xavier[-1] / xavier[0]) ** (2 / 49) == pytest.approx(0.5, abs=0.04)


def test_equal_neurons_stay_equal(weight_init):
    for name in ("all 0", "all 0.1"):
        rows = weight_init.hidden_weights[name]
        np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-9)
    assert len(np.unique(weight_init.hidden_weights["random"], axis=0)) == 8


def test_train_is_plain_gradient_descent_on_its_own_batches(weight_init):
    model = nn.Linear(64, 10, dtype=torch.float64)
    weight, bias = (p.detach().clone().requires_grad_() for p in model.parameters())
    losses = weight_init.train(model, weight_init.inputs, weight_init.targets, 3, 0.1, batch_size=16)
    generator = torch.Generator().manual_seed(0)
    for ours in losses:
        batch = torch.randint(weight_init.n_train, (16,), generator=generator)
        loss = F.cross_entropy(F.linear(weight_init.inputs[batch], weight, bias), weight_init.targets[batch])
        assert ours == pytest.approx(loss.item(), rel=1e-10)
        grads = torch.autograd.grad(loss, (weight, bias))
        with torch.no_grad():
            weight, bias = (p - 0.1 * g for p, g in zip((weight, bias), grads))
        weight.requires_grad_(), bias.requires_grad_()
    torch.testing.assert_close(model.weight, weight)


def test_deep_network_has_its_depth_and_zero_biases(weight_init):
    network = weight_init.deep_network(nn.ReLU, nn.init.ones_, depth=4, width=7)
    linears = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [tuple(linear.weight.shape) for linear in linears] == [(7, 64), (7, 7), (7, 7), (10, 7)]
    assert all((linear.weight == 1).all() and not linear.bias.any() for linear in linears)
    assert [type(layer) for layer in network[1::2]] == [nn.ReLU] * 3


def test_only_he_trains_the_deep_relu_network(weight_init):
    last = {name: losses.max() for name, losses in weight_init.last_losses[20].items()}
    assert {name for name, loss in last.items() if loss < 1.9} == {"He"}
    assert math.isnan(last["too large"])
    assert {name for name, losses in weight_init.last_losses[3].items() if losses.max() > 1} == {"too small"}


def test_one_run_trains_on_the_training_digits_only(weight_init):
    starts = weight_init.starts
    losses, valid, test = weight_init.one_run(nn.Tanh, starts["Xavier"], 2, 0.5, seed=3)
    again, _, _ = weight_init.one_run(nn.Tanh, starts["Xavier"], 2, 0.5, seed=3)
    assert losses == again and len(losses) == weight_init.n_steps
    assert losses[-1] < 0.5 < losses[0] and min(valid, test) > 0.7
    torch.manual_seed(3)
    model = weight_init.deep_network(nn.Tanh, starts["Xavier"], 2)
    weight_init.train(
        model, weight_init.inputs.float(), weight_init.targets, weight_init.n_steps, 0.5, seed=3
    )
    right = (model(weight_init.inputs.float()).argmax(dim=1) == weight_init.targets).double()
    assert (valid, test) == pytest.approx((right[1200:1500].mean().item(), right[1500:].mean().item()))


def test_he_gradient_depends_on_the_end_widths_only(weight_init):
    rng = np.random.default_rng(7)
    for widths, expected in (([100] + [300, 100, 200] * 6, 200 / 300), ([100] + [100, 400] * 9, 4.0)):
        ratios = []
        for _ in range(6):
            weights = [weight_init.he_normal(b, a, rng) for a, b in zip(widths, widths[1:])]
            x, grad = rng.normal(size=(32, 100)), rng.normal(size=(32, widths[-1]))
            _, grads = weight_init.propagate(x, weights, "relu", grad)
            ratios.append(np.log(np.mean(grads[0] ** 2) / np.mean(grads[-1] ** 2)))
        assert np.exp(np.mean(ratios)) == pytest.approx(expected, rel=0.45)


# 6.6 tensor_autograd

BROADCASTS = [
    ((), ()),
    ((3,), ()),
    ((4, 1), (5,)),
    ((1, 1), (2, 3)),
    ((2, 1, 3), (4, 1)),
    ((1,), (5, 2, 1)),
    ((3, 1), (3, 1)),
]

ARRAY_OPERATIONS = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (y * y + 1),
    "numbers on the left": lambda x, y: (3 - x) * 2 + 1 / (1 + y * y) - 2 * y,
    "negate": lambda x, y: -x * y,
    "powers": lambda x, y: (x * x + 1) ** -1.5 + y**2 + x**0,
    "exp and log": lambda x, y: (x.exp() + 1).log() * y,
    "tanh and relu": lambda x, y: x.tanh() + (x * y).relu(),
    "diamond": lambda x, y: (x + y) * (x - y) + (x + y),
}


def compare_tensors(tensor_autograd, function, arrays, rng):
    """Values and gradients of function(*arrays), by our tensors and by PyTorch's, for a random cotangent."""
    ours = [tensor_autograd.Tensor(a) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, expected = function(*ours), function(*theirs)
    np.testing.assert_allclose(out.data, expected.detach(), rtol=1e-10, atol=1e-12)
    assert out.data.shape == tuple(expected.shape)
    cotangent = rng.normal(size=expected.shape)
    out.backward(cotangent)
    expected.backward(torch.tensor(cotangent, dtype=torch.float64))
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad.shape == a.data.shape
        np.testing.assert_allclose(a.grad, b.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shapes", BROADCASTS)
@pytest.mark.parametrize("name", ARRAY_OPERATIONS)
def test_array_operation_matches_autograd_under_broadcasting(tensor_autograd, name, shapes):
    rng = np.random.default_rng(len(name))
    for pair in (shapes, shapes[::-1]):
        arrays = [np.asarray(rng.normal(size=shape)) for shape in pair]
        compare_tensors(tensor_autograd, ARRAY_OPERATIONS[name], arrays, rng)


@pytest.mark.parametrize("seed", range(10))
def test_random_broadcast_matches_autograd(tensor_autograd, seed):
    """Two random shapes that fit: some axes stretched from one, some put in front."""
    rng = np.random.default_rng(seed)
    full = rng.integers(1, 5, size=4)
    shapes = [tuple(np.where(rng.random(4) < 0.4, 1, full)[rng.integers(4) :].tolist()) for _ in range(2)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    compare_tensors(tensor_autograd, lambda x, y: (x * y + x).tanh() - y * y, arrays, rng)


@pytest.mark.parametrize(
    "left, right",
    [((1, 1), (1, 1)), ((2, 3), (3, 5)), ((4, 2, 3), (3, 5)), ((2, 3), (4, 3, 1)), ((4, 1, 2, 3), (5, 3, 2))],
)
def test_matmul_matches_autograd_on_stacks(tensor_autograd, left, right):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=left), rng.normal(size=right)]
    compare_tensors(tensor_autograd, lambda x, y: x @ y, arrays, rng)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2)])
def test_sum_and_mean_match_autograd(tensor_autograd, axis, keepdims):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(2, 3, 4))
    for name in ("sum", "mean"):
        function = lambda x, name=name: getattr(x, name)(axis=axis, keepdims=keepdims) * 2.0
        compare_tensors(tensor_autograd, function, [array], rng)


@pytest.mark.parametrize(
    "key", [0, slice(1, 3), (slice(None), 2), [0, 2, 2], ([1, 1, 0], [3, 3, 2]), (Ellipsis, None, 1)]
)
def test_indexing_matches_autograd_where_places_repeat(tensor_autograd, key):
    rng = np.random.default_rng(0)
    compare_tensors(tensor_autograd, lambda x: x[key] * 3.0, [rng.normal(size=(3, 4))], rng)


def test_shapes_move_as_in_pytorch(tensor_autograd):
    rng = np.random.default_rng(0)
    function = lambda x, y: x.reshape(4, -1).T @ y.reshape(4, 1)
    compare_tensors(tensor_autograd, function, [rng.normal(size=(2, 2, 3)), rng.normal(size=4)], rng)


@pytest.mark.parametrize("shapes", [((5, 4, 3), (4, 1)), ((2, 3), ()), ((2, 3), (2, 3)), ((7, 1), (1, 1))])
def test_unbroadcast_undoes_a_broadcast(tensor_autograd, shapes):
    rng = np.random.default_rng(0)
    big, small = rng.normal(size=shapes[0]), np.asarray(rng.normal(size=shapes[1]))
    summed = tensor_autograd.unbroadcast(big, small.shape)
    assert summed.shape == small.shape
    assert (summed * small).sum() == pytest.approx((big * np.broadcast_to(small, big.shape)).sum(), rel=1e-10)


def test_tensor_second_backward_and_collecting_leaves(tensor_autograd):
    x = tensor_autograd.Tensor([1.0, 2.0])
    out = ((x * x).tanh() * x).sum()
    out.backward()
    first, x.grad = x.grad, None
    out.backward()
    np.testing.assert_array_equal(x.grad, first)
    out.backward()
    np.testing.assert_allclose(x.grad, 2 * first, rtol=1e-15)
    x.grad = None
    (x + x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_deep_tensor_chain_needs_no_recursion(tensor_autograd):
    x = tensor_autograd.Tensor(1.0)
    out = x
    for _ in range(20_000):
        out = out * 1.0
    out.backward()
    assert x.grad == 1.0


def test_leaves_get_gradients_of_their_own(tensor_autograd):
    a, b = (tensor_autograd.Tensor(np.ones((2, 3))) for _ in range(2))
    seed = np.full((2, 3), 2.0)
    (a + b).backward(seed)
    assert not np.shares_memory(a.grad, b.grad) and not np.shares_memory(a.grad, seed)
    a.grad *= 0.5
    assert (b.grad == 2).all() and (seed == 2).all()
    x = tensor_autograd.Tensor(np.ones(3))
    x.sum().backward()
    x.grad /= 2  # not read-only
    assert x.grad.tolist() == [0.5] * 3
    y = tensor_autograd.Tensor(np.ones(2))
    y.backward(np.ones(2))
    y.backward(np.ones(2))
    assert y.grad.tolist() == [2.0, 2.0]


def test_tensor_takes_whole_numbers_empty_batches_and_any_layout(tensor_autograd):
    Tensor = tensor_autograd.Tensor
    whole = Tensor(np.array([[1, 2], [3, 4]]))
    (whole / 2).sum().backward()
    assert whole.grad.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    weight = Tensor(np.ones((4, 3)))
    (Tensor(np.zeros((0, 3))) @ weight.T).relu().sum().backward()
    assert weight.grad.tolist() == [[0.0] * 3] * 4
    rng = np.random.default_rng(0)
    array, other = rng.normal(size=(4, 5)), rng.normal(size=(5, 3))
    grads = []
    for lay in (np.ascontiguousarray, np.asfortranarray):
        a, b = Tensor(lay(array)), Tensor(lay(other))
        (a @ b).tanh()[[0, 2, 2]].reshape(-1, 1).sum().backward()
        grads.append((a.grad, b.grad))
    for ours, theirs in zip(*grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert repr(Tensor(2.0) * 3) == "Tensor(6.0, op='mul')"


def test_name_windows_slide_and_refuse_other_letters(tensor_autograd):
    assert tensor_autograd.name_windows(["bo", "a"]).tolist() == [
        [0, 0, 0, 2],
        [0, 0, 2, 15],
        [0, 2, 15, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 0],
    ]
    assert tensor_autograd.name_windows([]).shape == (0, 4)
    for name, unknown in (("Bo", "B"), ("a.b", ".")):
        with pytest.raises(ValueError, match=rf"\['{unknown}'\]"):
            tensor_autograd.name_windows([name])


@pytest.mark.parametrize("n, n_classes, scale", [(1, 1, 1.0), (1, 5, 1.0), (7, 3, 1e4)])
@pytest.mark.parametrize("name", ["cross_entropy_nodes", "cross_entropy"])
def test_cross_entropy_of_tensors_matches_pytorch(tensor_autograd, name, n, n_classes, scale):
    rng = np.random.default_rng(n)
    array, labels = scale * rng.normal(size=(n, n_classes)), rng.integers(n_classes, size=n)
    logits = tensor_autograd.Tensor(array)
    loss = getattr(tensor_autograd, name)(logits, labels) * 3.0
    loss.backward()
    tensor = torch.tensor(array, requires_grad=True)
    expected = F.cross_entropy(tensor, torch.from_numpy(labels)) * 3
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-10)
    np.testing.assert_allclose(logits.grad, tensor.grad, rtol=1e-10, atol=1e-12)


def test_training_step_of_tensors_moves_against_the_gradient(tensor_autograd):
    a, b = tensor_autograd.Tensor(3.0), tensor_autograd.Tensor(5.0)
    for expected in ((15.0, 3.0 - 0.5, 5.0 - 0.3), (2.5 * 4.7, 2.5 - 0.47, 4.7 - 0.25)):
        loss = tensor_autograd.training_step([a, b], 0.1, lambda x, y: x * y, a, b)
        assert (loss, a.data.item(), b.data.item()) == pytest.approx(expected)


def test_numpy_arrays_may_stand_on_the_left(tensor_autograd):
    array, tensor = np.ones((2, 2)), tensor_autograd.Tensor(np.full((2, 2), 3.0))
    for out, expected in (
        (array + tensor, 4.0),
        (array * tensor, 3.0),
        (array @ tensor, 6.0),
        (array - tensor, -2.0),
    ):
        assert isinstance(out, tensor_autograd.Tensor)
        assert out.data.tolist() == [[expected] * 2] * 2


def test_tensor_names_the_fault(tensor_autograd):
    tensor = tensor_autograd.Tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(\)"):
        tensor.backward()
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3,\)"):
        tensor.backward(np.ones(3))
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3,\)"):
        tensor @ np.ones(3)
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 3\)"):
        np.ones(3) @ tensor


@pytest.mark.parametrize("n", [1, 7])
def test_penguin_loss_is_the_same_on_numbers_and_arrays(tensor_autograd, n):
    rng = np.random.default_rng(n)
    weights = tensor_autograd.initial_weights([3, 5, 4, 1], rng)
    x, t = rng.normal(size=(n, 3)), rng.choice([-1.0, 1.0], size=n)
    V = tensor_autograd.Value
    values = [
        ([[V(w) for w in row] for row in weight.tolist()], [V(b) for b in bias]) for weight, bias in weights
    ]
    ours = tensor_autograd.value_loss(values, x.tolist(), t.tolist())
    ours.backward()
    h, tensors = (
        torch.from_numpy(x),
        [torch.tensor(a, requires_grad=True) for layer in weights for a in layer],
    )
    h = F.linear(F.linear(h, *tensors[:2]).relu(), *tensors[2:4]).relu()
    scores = F.linear(h, *tensors[4:])[:, 0]
    loss = F.relu(1 - torch.from_numpy(t) * scores).mean() + 1e-4 * sum(p.square().sum() for p in tensors)
    loss.backward()
    assert ours.data == pytest.approx(loss.item(), rel=1e-12)
    arrays = [(tensor_autograd.Tensor(w), tensor_autograd.Tensor(b)) for w, b in weights]
    out = tensor_autograd.penguin_loss(arrays, x, t)
    out.backward()
    assert out.data == pytest.approx(loss.item(), rel=1e-12)
    flat = [value.grad for rows, biases in values for value in (*sum(rows, []), *biases)]
    expected = torch.cat([p.grad.reshape(-1) for p in tensors])
    np.testing.assert_allclose(flat, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        np.concatenate([p.grad.ravel() for p in sum(arrays, ())]), expected, rtol=1e-10, atol=1e-12
    )


def test_initial_weights_have_he_spread(tensor_autograd):
    (weight, bias), _ = tensor_autograd.initial_weights([200, 300, 1], np.random.default_rng(0))
    assert weight.shape == (300, 200) and weight.std() == pytest.approx(0.1, rel=0.03)
    assert bias.shape == (300,) and bias.std() == pytest.approx(0.1, rel=0.15)


def test_names_loss_matches_the_library(tensor_autograd):
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape) for shape in tensor_autograd.shapes]
    x, y = rng.integers(27, size=(11, 3)), rng.integers(27, size=11)
    parameters = [tensor_autograd.Tensor(a) for a in arrays]
    loss = tensor_autograd.names_loss(parameters, x, y)
    loss.backward()
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    z = F.linear(F.embedding(torch.from_numpy(x), tensors[0]).flatten(1), *tensors[1:3])
    z = F.batch_norm(z, None, None, *tensors[3:5], training=True)
    expected = F.cross_entropy(F.linear(z.tanh(), *tensors[5:]), torch.from_numpy(y))
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-10)
    for ours, theirs in zip(parameters, tensors):
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-8, atol=1e-12)


def test_names_loss_is_finite_for_huge_logits(tensor_autograd):
    rng = np.random.default_rng(0)
    parameters = [tensor_autograd.Tensor(rng.normal(size=shape)) for shape in tensor_autograd.shapes]
    parameters[5].data *= 1e4
    loss = tensor_autograd.names_loss(parameters, rng.integers(27, size=(9, 3)), rng.integers(27, size=9))
    loss.backward()
    assert 1e3 < loss.data < 1e6
    assert all(np.isfinite(parameter.grad).all() for parameter in parameters)


def test_milliseconds_measures_and_leaves_the_collector_as_it_was(tensor_autograd):
    seen = []
    spent = tensor_autograd.milliseconds(lambda: (seen.append(gc.isenabled()), time.sleep(0.02)))
    assert seen == [False] * 3 and gc.isenabled()
    assert spent >= 19
    gc.disable()
    try:
        tensor_autograd.milliseconds(lambda: None)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_torch_ops_counts_every_node_once(tensor_autograd):
    x = torch.ones(3, requires_grad=True)
    h = x.exp()
    assert tensor_autograd.torch_ops((h * h + h).sum()) == [
        "AddBackward0",
        "ExpBackward0",
        "MulBackward0",
        "SumBackward0",
    ]


def test_tensor_engine_trains_as_pytorch_does(tensor_autograd):
    np.testing.assert_allclose(tensor_autograd.losses, tensor_autograd.torch_losses, atol=1e-9, rtol=0)
    ours, theirs = tensor_autograd.names_losses, tensor_autograd.torch_names_losses
    np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=1e-9, rtol=0)
    assert tensor_autograd.test_accuracy > 0.9
    assert tensor_autograd.nodes["Tensor"][0] == tensor_autograd.nodes["Tensor"][-1]


# numbers of every kind


X, WEIGHT, GRAD = (np.random.default_rng(0).integers(0, 5, s).astype(float) for s in [(4, 3), (2, 3), (4, 2)])
CLASSES = np.array([0, 2, 1, 1])


@pytest.mark.parametrize(
    "stem, call, arrays",
    [
        ("chain_rule", lambda m, w, g: m.linear_vjp(w, g), [WEIGHT, GRAD]),
        ("chain_rule", lambda m, h, g: m.tanh_vjp(h, g), [GRAD, GRAD]),
        ("chain_rule", lambda m, z: m.sigmoid(z), [X]),
        ("backprop_ninja", lambda m, z: m.softmax_cross_entropy(z, CLASSES), [X]),
        ("backprop_ninja", lambda m, z: m.softmax_cross_entropy_fast(z, CLASSES), [X]),
        ("backprop_ninja", lambda m, x, w: m.linear(x, w, w[:, 0]), [X, WEIGHT]),
        ("backprop_ninja", lambda m, g, x, w: m.linear_backward(g, x, w), [GRAD, X, WEIGHT]),
        ("backprop_ninja", lambda m, x, g, b: m.batch_norm(x, g, b)[0], [X, [1.0, 2, 0], [0.0, 1, 3]]),
        ("backprop_ninja", lambda m, x, g, b: m.batch_norm_fast(x, g, b)[0], [X, [1.0, 2, 0], [0.0, 1, 3]]),
        (
            "backprop_ninja",
            lambda m, x, g: m.batch_norm_backward(x, m.batch_norm(x, g, g)[1]),
            [X, [1.0, 2, 0]],
        ),
        (
            "backprop_ninja",
            lambda m, x, g: m.batch_norm_fast_backward(x * 1.0, m.batch_norm_fast(x, g, g)[1]),
            [X, [1.0, 2, 0]],
        ),
        ("tensor_autograd", lambda m, g: m.unbroadcast(g, (1, 3)), [X]),
        ("tensor_autograd", lambda m, x, w: gradients_of_tensors(m, x, w), [X, WEIGHT]),
        ("forward_backward", lambda m, a, b: m.matmul(a, b.T), [X, WEIGHT]),
    ],
)
def test_any_numbers_give_the_right_ones(lesson, any_numbers, stem, call, arrays):
    """Also whole numbers and arrays that lie apart in memory."""
    m = lesson(stem)
    any_numbers(lambda *a: call(m, *a), *arrays, float32=stem != "tensor_autograd")


def train_on_names(m, *batches, learning_rate=0.1, n_total=10):
    """Whether training on these rows keeps the start, finite statistics, and the number of losses."""
    start = m.initial_parameters(2, 3, np.random.default_rng(0))
    trained, statistics, losses = m.train(start, [np.array(b) for b in batches], learning_rate, n_total)
    kept = all(np.array_equal(trained[name], p) for name, p in start.items())
    return kept, bool(np.isfinite(statistics).all()), len(losses)


def sampled(m, n):
    p = m.initial_parameters(2, 3, np.random.default_rng(0))
    return len(m.sample_names(n, p, (np.zeros(3), np.ones(3)), np.random.default_rng(0)))


def train_values(m, n_steps, learning_rate):
    """Whether training keeps the weights of a network of values, and the number of losses."""
    model = m.MLP(2, [3, 1])
    start = [p.data for p in model.parameters()]
    losses = m.train(model, [[1.0, 2.0], [0.5, -1.0]], [1, -1], n_steps, learning_rate)
    return start == [p.data for p in model.parameters()], len(losses)


def train_tensors(m, learning_rate):
    """The product of two tensors after a step, and the loss before it."""
    a, b = m.Tensor(3.0), m.Tensor(5.0)
    return m.training_step([a, b], learning_rate, lambda x, y: x * y, a, b), a.data.item() * b.data.item()


def train_digits(m, n_steps, learning_rate, batch_size=128):
    """Whether training keeps the weights, and the number of losses."""
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 10).double()
    start = model.weight.detach().clone()
    losses = m.train(model, m.inputs, m.targets, n_steps, learning_rate, batch_size)
    return torch.equal(model.weight, start), len(losses)


@pytest.mark.parametrize(
    "stem, call, expected",
    [
        ("backprop_ninja", lambda m: train_on_names(m), (True, True, 0)),
        ("backprop_ninja", lambda m: train_on_names(m, n_total=0), (True, True, 0)),
        ("backprop_ninja", lambda m: train_on_names(m, [0, 1], learning_rate=0.0), (True, True, 1)),
        ("backprop_ninja", lambda m: train_on_names(m, [0, 1], learning_rate=100.0), (False, True, 1)),
        ("backprop_ninja", lambda m: train_on_names(m, [0, 1], [2, 3, 4], n_total=2), (False, True, 2)),
        ("backprop_ninja", lambda m: train_on_names(m, [0, 1], [2, 3], n_total=1), "2 steps, but the rate"),
        ("backprop_ninja", lambda m: train_on_names(m, [0, 1], [2]), "at least two examples"),
        ("backprop_ninja", lambda m: train_on_names(m, []), "at least two examples"),
        ("backprop_ninja", lambda m: [sampled(m, n) for n in (0, 2)], [0, 2]),
        ("micrograd", lambda m: train_values(m, 0, 0.1), (True, 0)),
        ("micrograd", lambda m: train_values(m, 2, 0.0), (True, 2)),
        ("micrograd", lambda m: train_values(m, 2, 100.0), (False, 2)),
        ("micrograd", lambda m: m.train(m.MLP(2, [1]), [], [], 1), "0 scores for 0 targets"),
        ("tensor_autograd", lambda m: train_tensors(m, 0.0), (15, 15)),
        ("tensor_autograd", lambda m: train_tensors(m, 100.0), (15, -497 * -295)),
        ("weight_init", lambda m: train_digits(m, 0, 0.1), (True, 0)),
        ("weight_init", lambda m: train_digits(m, 2, 0.0, 5000), (True, 2)),
        ("weight_init", lambda m: train_digits(m, 2, 100.0, 7), (False, 2)),
        ("weight_init", lambda m: train_digits(m, 2, 0.1, 0), "batch_size must be at least 1, got 0"),
    ],
)
def test_any_settings_work_or_are_named(lesson, any_settings, stem, call, expected):
    """No steps, batches of one or larger than the data, learning rates of 0 and 100."""
    any_settings(lambda: call(lesson(stem)), expected)


@pytest.mark.parametrize(
    "stem, letters_of", [("backprop_ninja", "examples"), ("tensor_autograd", "name_windows")]
)
@pytest.mark.parametrize(
    "name, unknown", [("Ada", "'A'"), ("anne marie", "' '"), ("zoë", "'ë'"), ("a.b", "'.'")]
)
def test_names_of_another_alphabet_are_told(lesson, stem, letters_of, name, unknown):
    m = lesson(stem)
    more = (m.context,) if stem == "backprop_ninja" else ()
    with pytest.raises(ValueError, match=rf"'{name}'.*\[{re.escape(unknown)}\]"):
        getattr(m, letters_of)(["bo", name], *more)


def gradients_of_tensors(m, x, w):
    tensors = [m.Tensor(x), m.Tensor(w)]
    loss = ((tensors[0] @ tensors[1].T) * 0.1).tanh().sum()
    loss.backward()
    return [loss.data, *(t.grad for t in tensors)]


# benchmarks


@pytest.mark.benchmark(group="forward and backward, 3 layers, 256 x 512, float32")
@pytest.mark.parametrize("implementation", ["numpy", "torch, explicit", "torch, library"])
def test_layers_speed(forward_backward, timed, device, implementation):
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    layers = forward_backward.build([512] * 4, rng, np.float32)
    x, cotangent = rng.normal(size=(2, 256, 512)).astype(np.float32)
    forward_backward.forward(layers, x)
    forward_backward.backward(layers, cotangent)
    expected = layers[0].grad_weight.copy()
    flops = 2 * 256 * 512 * 512 * (3 + 5)  # forward, then two products a layer less one
    inputs, out_grad = torch.tensor(x, device=device), torch.tensor(cotangent, device=device)
    model = torch_copy(layers).float().to(device)
    weights, biases = list(model.parameters())[::2], list(model.parameters())[1::2]

    def numpy_layers():
        forward_backward.forward(layers, x)
        forward_backward.backward(layers, cotangent)
        forward_backward.multiplications.clear()
        return layers[0].grad_weight

    @torch.no_grad()
    def explicit():
        kept, h = [], inputs
        for weight, bias in zip(weights, biases):
            kept.append(h.relu() if kept else h)
            h = kept[-1] @ weight.T + bias
        grad = out_grad
        for i in (2, 1, 0):
            weight_grad, _ = grad.T @ kept[i], grad.sum(dim=0)
            if i:
                grad = (grad @ weights[i]) * (kept[i] > 0)
        return weight_grad

    def library():
        return torch.autograd.grad(model(inputs), list(model.parameters()), out_grad)[0]

    if implementation == "numpy":
        first = timed(numpy_layers, flops=flops)
    else:
        first = timed(explicit if implementation == "torch, explicit" else library, flops=flops).cpu().numpy()
    np.testing.assert_allclose(first, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.benchmark(group="training step of MLP(2, [16, 16, 1]), 100 points, float64")
@pytest.mark.parametrize("implementation", ["loops", "loops, fast", "torch, explicit", "torch, library"])
def test_training_step_speed(micrograd, timed, device, implementation):
    """`loops` is `Value`, `fast` has a neuron's dot product as one node; both with the collector paused."""
    if implementation.startswith("loops") and device.type != "cpu":
        pytest.skip("plain Python runs on the CPU only")
    inputs, targets = micrograd.inputs[:100], micrograd.targets[:100]
    x = torch.tensor(inputs, dtype=torch.float64, device=device)
    t = torch.tensor(targets, dtype=torch.float64, device=device)
    network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    network.double().load_state_dict(micrograd.network.state_dict())
    network = network.to(device)
    parameters = list(network.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.0)

    def explicit():
        h = x
        for weight, bias in (parameters[0:2], parameters[2:4]):
            h = (h @ weight.T + bias).relu()
        scores = (h @ parameters[4].T + parameters[5])[:, 0]
        loss = (1 - t * scores).relu().mean() + 1e-4 * sum((p * p).sum() for p in parameters)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        with torch.no_grad():
            for parameter in parameters:
                parameter -= 0.0 * parameter.grad
        return loss

    def library():
        loss = (1 - t * network(x)[:, 0]).relu().mean() + 1e-4 * sum(p.square().sum() for p in parameters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    if implementation.startswith("loops"):
        neuron = micrograd.Neuron if implementation == "loops" else micrograd.FusedNeuron
        model = micrograd.MLP(2, [16, 16, 1], neuron=neuron)
        rows = [torch.cat([m.weight, m.bias[:, None]], dim=1).flatten() for m in micrograd.network[::2]]
        for parameter, number in zip(model.parameters(), torch.cat(rows).tolist(), strict=True):
            parameter.data = number
        loss = timed(micrograd.uninterrupted, micrograd.training_step, model, inputs, targets, 0.0).data
    else:
        loss = timed(explicit if implementation == "torch, explicit" else library).item()
    expected = (1 - t * network(x)[:, 0]).relu().mean().item()
    expected += 1e-4 * sum(p.square().sum().item() for p in parameters)
    assert loss == pytest.approx(expected, rel=1e-10)


def arrays_and_tensors(device, *arrays):
    """float32 copies of the arrays, and the same as tensors that ask for gradients."""
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    return arrays, [torch.tensor(a, device=device, requires_grad=a.dtype == np.float32) for a in arrays]


def same(ours, expected):
    """Equal to float32's precision, whatever device it is on."""
    for a, b in zip(ours, expected, strict=True):
        a, b = (torch.as_tensor(v).detach().double().cpu() for v in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * max(1e-6, b.abs().max().item()))


@pytest.mark.benchmark(group="linear, forward and backward, 1024 x 256 to 256, float32")
@pytest.mark.parametrize("implementation", ["numpy", "torch, explicit", "torch, library"])
def test_linear_speed(backprop_ninja, timed, device, implementation):
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    shapes = (1024, 256), (256, 256), (256,), (1024, 256)
    (x, w, b, c), (tx, tw, tb, tc) = arrays_and_tensors(device, *(rng.normal(size=s) for s in shapes))

    def library():
        out = F.linear(tx, tw, tb)
        return out, *torch.autograd.grad(out, (tx, tw, tb), tc)

    @torch.no_grad()
    def explicit():
        return tx @ tw.T + tb, tc @ tw, tc.T @ tx, tc.sum(dim=0)

    def numpy():
        return backprop_ninja.linear(x, w, b), *backprop_ninja.linear_backward(c, x, w)

    f = {"numpy": numpy, "torch, explicit": explicit, "torch, library": library}[implementation]
    same(timed(f, flops=3 * 2 * 1024 * 256 * 256), library())


@pytest.mark.benchmark(group="tanh, forward and backward, (1024, 256), float32")
@pytest.mark.parametrize("implementation", ["numpy", "torch, explicit", "torch, library"])
def test_tanh_speed(timed, device, implementation):
    if implementation == "numpy" and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    (x, c), (tx, tc) = arrays_and_tensors(device, *rng.normal(size=(2, 1024, 256)))

    def library():
        out = torch.tanh(tx)
        return out, torch.autograd.grad(out, tx, tc)[0]

    @torch.no_grad()
    def explicit():
        out = torch.tanh(tx)
        return out, tc * (1 - out * out)

    def numpy():
        out = np.tanh(x)
        return out, c * (1 - out * out)

    f = {"numpy": numpy, "torch, explicit": explicit, "torch, library": library}[implementation]
    same(timed(f, bytes=5 * x.nbytes), library())


@pytest.mark.benchmark(group="batch norm, forward and backward, (1024, 256), float32")
@pytest.mark.parametrize("implementation", ["numpy", "numpy, fast", "torch, explicit", "torch, library"])
def test_batch_norm_speed(backprop_ninja, timed, device, implementation):
    if implementation.startswith("numpy") and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    shapes = (1024, 256), (256,), (256,), (1024, 256)
    (z, g, b, c), (tz, tg, tb, tc) = arrays_and_tensors(device, *(rng.normal(size=s) for s in shapes))

    def library():
        out = F.batch_norm(tz, None, None, tg, tb, training=True)
        return out, *torch.autograd.grad(out, (tz, tg, tb), tc)

    @torch.no_grad()
    def explicit():
        centered = tz - tz.mean(dim=0)
        inverse = torch.rsqrt(centered.square().mean(dim=0) + 1e-5)
        normalized = centered * inverse
        d_gamma, d_beta = (tc * normalized).sum(dim=0), tc.sum(dim=0)
        d_z = tg * inverse * (tc - d_beta / len(tc) - normalized * (d_gamma / len(tc)))
        return tg * normalized + tb, d_z, d_gamma, d_beta

    def clear():
        out, cache = backprop_ninja.batch_norm(z, g, b)
        return out, *backprop_ninja.batch_norm_backward(c, cache)

    def fast():
        out, cache = backprop_ninja.batch_norm_fast(z, g, b)
        return out, *backprop_ninja.batch_norm_fast_backward(c, cache)

    functions = {"numpy": clear, "numpy, fast": fast, "torch, explicit": explicit, "torch, library": library}
    same(timed(functions[implementation], bytes=5 * z.nbytes), library())


def softmax_cross_entropy_speed(backprop_ninja, timed, device, implementation, n, n_classes):
    if implementation.startswith("numpy") and device.type != "cpu":
        pytest.skip("NumPy runs on the CPU only")
    rng = np.random.default_rng(0)
    pair = 3 * rng.normal(size=(n, n_classes)), rng.integers(n_classes, size=n)
    (logits, targets), (tl, tt) = arrays_and_tensors(device, *pair)

    def library():
        loss = F.cross_entropy(tl, tt)
        return loss, torch.autograd.grad(loss, tl)[0]

    rows = torch.arange(n, device=device)

    @torch.no_grad()
    def explicit():
        shifted = tl - tl.amax(dim=1, keepdim=True)
        counts = shifted.exp()
        total = counts.sum(dim=1, keepdim=True)
        loss = (total[:, 0].log() - shifted[rows, tt]).mean()
        counts /= total
        counts[rows, tt] -= 1
        return loss, counts / n

    clear, fast = backprop_ninja.softmax_cross_entropy, backprop_ninja.softmax_cross_entropy_fast
    if implementation.startswith("numpy"):
        result = timed(fast if "fast" in implementation else clear, logits, targets, bytes=3 * logits.nbytes)
    else:
        result = timed(explicit if "explicit" in implementation else library, bytes=3 * logits.nbytes)
    same(result, library())


@pytest.mark.benchmark(group="softmax and cross-entropy, forward and backward, 2048 x 1000, float32")
@pytest.mark.parametrize("implementation", ["numpy", "numpy, fast", "torch, explicit", "torch, library"])
def test_large_softmax_cross_entropy_speed(backprop_ninja, timed, device, implementation):
    softmax_cross_entropy_speed(backprop_ninja, timed, device, implementation, 2048, 1000)


@pytest.mark.benchmark(group="softmax and cross-entropy, forward and backward, 256 x 10, float32")
@pytest.mark.parametrize("implementation", ["numpy", "numpy, fast", "torch, explicit", "torch, library"])
def test_small_softmax_cross_entropy_speed(backprop_ninja, timed, device, implementation):
    softmax_cross_entropy_speed(backprop_ninja, timed, device, implementation, 256, 10)
