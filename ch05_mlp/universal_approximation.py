# %% [markdown]
# # 5.3 Universal approximation: what one hidden layer can do, and what depth adds
#
# A round hill can be built from a row of upright bricks of different heights, and the narrower the bricks,
# the closer they follow the hill. A layer of neurons can follow a curve in the same way. The *universal
# approximation theorem* says that one hidden layer is enough for any continuous function, if it has enough
# neurons. So, in principle, the same kind of network can read digits, predict the weather or price a house.
#
# But then why are the networks in use so deep? And if good weights exist, does training find them?
#
# **You will build** networks that follow a curve, their weights set by hand, measure how fast more neurons
# help, see what the theorem does not promise, and compare depth with width at equal numbers of parameters.
# **You need** activations (5.2) and training in PyTorch (4.4).

# %%
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two layers without an activation are one line again, whatever their weights. With ReLU between them, two
# hidden neurons can do what no line can:
#
# $$\begin{aligned}
#   \text{two linear layers:} \quad & 3\,(2x + 1) - 4 = 6x - 1 \\
#   \text{ReLU between them:} \quad & \max(0, x) + \max(0, -x) = |x|
# \end{aligned}$$
#
# Each ReLU bends the sum at one point, where its own score is zero. So a sum of $n$ ReLUs consists of at
# most $n + 1$ straight pieces, a count that we shall need when we compare depth with width.


# %%
def relu(z):
    """z where it is above zero, else 0 (5.2)."""
    return np.maximum(z, 0)


x = np.array([-2.0, -0.5, 0.0, 3.0])
print("two linear layers:", 3 * (2 * x + 1) - 4)
print("with ReLU:        ", relu(x) + relu(-x))
np.testing.assert_array_equal(3 * (2 * x + 1) - 4, 6 * x - 1)
np.testing.assert_array_equal(relu(x) + relu(-x), np.abs(x))

# %% [markdown]
# ## Without an activation, depth adds nothing
#
# The first line holds at any size, because if one linear layer feeds the next, their matrices multiply:
#
# $$(x W_1^\top + b_1)\, W_2^\top + b_2 = x\, (W_2 W_1)^\top + (W_2 b_1 + b_2) .$$
#
# The right side is again a linear layer, so by repeating this a stack of any depth becomes one layer.


# %%
def collapse(layers):
    """The one (weight, bias) that does what a list of them does, (n_out, n_in) and (n_out,) each."""
    weight, bias = layers[0]
    for next_weight, next_bias in layers[1:]:
        weight = next_weight @ weight  # (n_next, n_out) @ (n_out, n_in) -> (n_next, n_in)
        bias = next_weight @ bias + next_bias  # (n_next, n_out) @ (n_out,) -> (n_next,)
    return weight, bias


layers = []
for n_in, n_out in itertools.pairwise((3, 50, 20, 50, 2)):
    layers.append((rng.normal(size=(n_out, n_in)) / np.sqrt(n_in), rng.normal(size=n_out)))
inputs = rng.normal(size=(100, 3))  # (B, 3)
h = inputs
for weight, bias in layers:
    h = h @ weight.T + bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)
n_parameters = sum(weight.size + bias.size for weight, bias in layers)
weight, bias = collapse(layers)
gap = np.max(np.abs(h - (inputs @ weight.T + bias)))  # (B, 3) @ (3, 2) -> (B, 2)
print(f"{n_parameters} parameters do the work of {weight.size + bias.size}, largest difference {gap:.1e}")
assert gap < 1e-12

# %% [markdown]
# ## A staircase of sigmoids
#
# From here on a network has one input, one hidden layer with activation $a$, and one output:
#
# $$\hat f(x) = \sum_i v_i\, a(w_i x + b_i) + c .$$
#
# A sigmoid with a large weight is nearly a step, and its bias says where the step is, because
# $\sigma(k (x - t))$ rises at $t$. One step up at $t_1$ and one down at $t_2$ leave a *bump* of height one
# between them. Bumps side by side, each as high as the curve at its middle, follow the curve like bricks.
#
# Since the next bump begins where one ends, the two steps at that place can be one neuron, whose output
# weight is the difference of the two heights.


# %%
def network(x, activation, weight, bias, out_weight, out_bias):
    """c + Σ v a(w x + b) at the points x, (n,) -> (n,); weight, bias, out_weight: (H,) each."""
    hidden = activation(x[:, None] * weight + bias)  # (n, 1) * (H,) -> (n, H)
    return hidden @ out_weight + out_bias  # (n, H) @ (H,) -> (n,)


def sigmoid(z):
    """1 / (1 + exp(-z)) without overflow, as in lesson 5.2."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, small) / (1 + small)


STEEPNESS = 100  # weight of a sigmoid, in units of one over the width of a stair


def bump(x, start, stop, steepness):
    """Close to 1 between start and stop, close to 0 elsewhere: a network of two hidden neurons."""
    weight = np.array([steepness, steepness])
    return network(x, sigmoid, weight, -weight * [start, stop], np.array([1.0, -1.0]), 0.0)


def staircase(f, n, steepness=STEEPNESS):
    """Weights of n - 1 sigmoids that make n stairs along f on [0, 1]."""
    edges = np.arange(1, n) / n  # (n - 1,)
    heights = f((np.arange(n) + 0.5) / n)  # (n,)
    weight = np.full(n - 1, float(steepness * n))
    return weight, -weight * edges, np.diff(heights), heights[0]


def curve(x):
    """The curve to follow: smooth, with a few hills."""
    return np.sin(2 * np.pi * x) + 0.5 * x * np.cos(5 * np.pi * x)


fine = np.linspace(0, 1, 20_001)
n_stairs = 12
half = 0.5 / n_stairs
middles = (np.arange(n_stairs) + 0.5) / n_stairs
bumps = sum(curve(m) * bump(fine, m - half, m + half, STEEPNESS * n_stairs) for m in middles)  # (20001,)
inside = (fine > 0.02) & (fine < 0.98)  # the outer bumps have outer edges, the staircase has not
staircase_gap = np.max(np.abs(bumps - network(fine, sigmoid, *staircase(curve, n_stairs)))[inside])
print(f"{n_stairs} bumps against the staircase: largest difference {staircase_gap:.1e}")

# %% [markdown]
# ## Straight pieces from ReLUs
#
# A ReLU with the weight $1$ is flat up to some point, its *knot*, and rises after it. So a sum of ReLUs
# can run straight from knot to knot, if each output weight is the change of slope at its knot. We choose
# the knots evenly and let the network pass through the curve at each of them. Which of the two will be
# closer, and why?


# %%
def straight_pieces(f, n):
    """Weights of n ReLUs that connect f's values at n + 1 even knots on [0, 1] by straight lines."""
    knots = np.linspace(0, 1, n + 1)  # (n + 1,)
    slopes = np.diff(f(knots)) * n  # (n,)
    return np.ones(n), -knots[:-1], np.diff(slopes, prepend=0.0), f(knots[0])


knots = np.linspace(0, 1, n_stairs + 1)
at_knots = network(knots, relu, *straight_pieces(curve, n_stairs))  # (n + 1,)
np.testing.assert_allclose(at_knots, curve(knots), atol=1e-12)

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
left.plot(fine, bump(fine, 0.3, 0.6, 40), "-", color="C1", label="difference")
left.plot(fine, sigmoid(40 * (fine - 0.3)), ":", color="0.4", label="first sigmoid")
left.plot(fine, -sigmoid(40 * (fine - 0.6)), "--", color="0.4", label="minus the second")
left.set(xlabel="x", title="A bump from two sigmoids")
for ax, activation, weights, title in (
    (middle, sigmoid, staircase(curve, n_stairs), "A staircase of sigmoids"),
    (right, relu, straight_pieces(curve, n_stairs), "Straight pieces from ReLUs"),
):
    ax.plot(fine, curve(fine), "--", color="C0", label="curve")
    ax.plot(fine, network(fine, activation, *weights), "-", color="C1", label=f"{len(weights[0])} neurons")
    ax.set(xlabel="x", title=title)
right.plot(knots, curve(knots), "o", color="C0", markersize=4, fillstyle="none")
for ax in (left, middle, right):
    ax.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# With about the same number of neurons, the straight pieces are closer at about two of three points. (A
# stair is exact where the curve crosses it.) How large can the errors be? With $n$ stairs, each is $1/n$
# wide and exact at its middle. From there to its edge the curve can leave it by at most its slope $f'$
# times half of the width, $\max |f'| / 2n$. A straight piece is exact at its two knots, and between them a
# curve can leave it only by bending. By a standard result, the largest distance is at most
# $\max |f''| / 8 n^2$, with the second derivative $f''$ (2.6).
#
# ## How fast do more neurons help?
#
# These two formulas predict that twice as many neurons halve the error of the staircase and divide that of
# the straight pieces by four. On axes with logarithmic scales that means straight lines with the slopes
# $-1$ and $-2$, if we measure the largest error anywhere. That good weights exist does not say that they
# can be found, so we also let gradient descent look for them, with eight random starts at each of three
# widths. Will it do better than our even knots, or worse?


# %%
def train(width, n_networks=8, n_steps=1500, learning_rate=0.02):
    """Fit `n_networks` one-layer ReLU networks, side by side (5.2), to the curve on [0, 1].

    Returns a function of points (n,) that gives the outputs (n_networks, n). Inputs are stretched to
    [-2, 2], and with biases from the same range the knots -b / w begin all over the interval.
    """
    torch.manual_seed(0)
    weight = torch.randn(n_networks, 1, width, dtype=torch.float64)
    bias = 4 * torch.rand(n_networks, 1, width, dtype=torch.float64) - 2
    out_weight = torch.randn(n_networks, width, 1, dtype=torch.float64) / width**0.5
    out_bias = torch.zeros(n_networks, 1, dtype=torch.float64)
    parameters = [p.requires_grad_() for p in (weight, bias, out_weight, out_bias)]

    def predict(points):
        u = 4 * torch.as_tensor(points)[None, :, None] - 2  # (1, n, 1), in [-2, 2]
        hidden = torch.relu(u * weight + bias)  # (1, n, 1) * (S, 1, H) -> (S, n, H)
        return (hidden @ out_weight)[..., 0] + out_bias  # (S, n, H) @ (S, H, 1) -> (S, n, 1) -> (S, n)

    x = np.linspace(0, 1, 101)
    y = torch.from_numpy(curve(x))  # (101,)
    optimizer = torch.optim.SGD(parameters, lr=learning_rate)
    for _ in range(n_steps):
        loss = ((predict(x) - y) ** 2).mean(dim=1).sum()  # each network has a mean of its own
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return lambda points: predict(points).detach().numpy()


# %%
slope = np.gradient(curve(fine), fine)
steepest = np.max(np.abs(slope))
sharpest = np.max(np.abs(np.gradient(slope, fine)))
widths = 2 ** np.arange(2, 10)
errors = {"staircase": [], "straight pieces": []}
for n in widths:
    for name, activation, weights in (
        ("staircase", sigmoid, staircase(curve, n)),
        ("straight pieces", relu, straight_pieces(curve, n)),
    ):
        errors[name].append(np.max(np.abs(network(fine, activation, *weights) - curve(fine))))
bounds = {"staircase": steepest / (2 * widths), "straight pieces": sharpest / (8.0 * widths**2)}
rates = {name: np.polyfit(np.log(widths[3:]), np.log(row[3:]), 1)[0] for name, row in errors.items()}
trained = {width: train(width) for width in (4, 16, 64)}
trained_errors = {}  # width -> largest error of each network (8,)
for width, predict in trained.items():
    trained_errors[width] = np.max(np.abs(predict(fine) - curve(fine)), axis=1)  # (8, 20001) -> (8,)

print(f"{'n':>6s}{'staircase':>12s}{'bound':>12s}{'pieces':>12s}{'bound':>12s}    trained: best and worst")
for i, n in enumerate(widths):
    line = "".join(f"{row[i]:12.3g}" for name in errors for row in (errors[name], bounds[name]))
    if n in trained:
        line += f"{trained_errors[n].min():15.3g}{trained_errors[n].max():12.3g}"
    print(f"{n:6d}{line}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, row), style in zip(errors.items(), ("o-", "s--")):
    left.loglog(widths, row, style, markersize=4, label=f"{name}, slope {rates[name]:.2f}")
for width, row in trained_errors.items():
    label = "trained ReLUs, eight starts" if width == 4 else None
    left.loglog([width] * 8, row, "^", color="C2", fillstyle="none", label=label)
left.set(xlabel="hidden neurons", ylabel="largest error", title="Error on the interval")
left.legend(loc="lower left")
wide = np.linspace(-0.5, 1.5, 401)
right.axvspan(0, 1, color="0.93", zorder=0)
right.plot(wide, curve(wide), "--", color="C0", label="curve")
right.plot(wide, trained[64](wide)[0], "-", color="C1", label="trained network")
right.set(xlabel="x", title="A network of 64 neurons, trained on the grey range")
right.set_ylim(1.3 * curve(wide).min(), 1.6 * curve(wide).max())
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# Both hand-made networks follow their prediction, while training gives a mixed answer. With four neurons
# the best of the eight starts beats our even knots. (Training may move a knot to where it is needed, and
# need not meet the curve there.) With 64, all eight are far behind what we know to be possible: in this
# time, and at this learning rate, gradient descent has not found such weights. (At a rate of 0.05 some of
# the eight blow up and the best comes hardly closer, and at 0.1 all blow up.) And outside the grey range,
# which it has not seen, the network on the right runs straight on.
#
# ## The theorem, and what it does not promise
#
# With these networks in mind we can state it. _Let $f$ be continuous on a closed box of inputs, such as
# $[0, 1]$ or $[0, 1] \times [0, 1]$, and let the activation be continuous and not a polynomial. Then for
# every error $\varepsilon > 0$ there is a network with one hidden layer that differs from $f$ by less than
# $\varepsilon$ everywhere on the box._ (A closed box is one whose edges belong to it.) For one input and
# ReLU, our straight pieces show why it is true: a continuous curve changes little between two knots if the
# knots are close enough. A polynomial will not do as an activation, since a sum of parabolas is a parabola,
# however many there are.
#
# The theorem says that such weights exist. It does not say how many neurons it takes, or that training
# finds the weights, and it says nothing about inputs outside the box.
#
# ## The same in PyTorch
#
# Weights set by hand go into a PyTorch model as they are.

# %%
pieces = [torch.as_tensor(part) for part in straight_pieces(curve, 16)]
hidden_weight, hidden_bias, out_weight, out_bias = pieces
model = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1)).double()
with torch.no_grad():
    model[0].weight.copy_(hidden_weight[:, None])  # (16, 1)
    model[0].bias.copy_(hidden_bias)  # (16,)
    model[2].weight.copy_(out_weight[None, :])  # (1, 16)
    model[2].bias.copy_(out_bias)  # ()
    torch_outputs = model(torch.from_numpy(fine)[:, None])[:, 0].numpy()  # (20001, 1) -> (20001,)
largest = np.max(np.abs(network(fine, relu, *straight_pieces(curve, 16)) - torch_outputs))
print(f"largest difference {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## Does depth make more pieces?
#
# If one hidden layer is enough, what are more layers for? One often reads that deep networks have more
# straight pieces than shallow ones of the same size, which we can count. All four networks below have about
# 300 parameters, with one to four hidden layers and PyTorch's usual random weights. Between two
# neighbouring points of a fine grid, a new piece begins if any neuron of any layer switches on or off.


# %%
def count_pieces(model, low, high):
    """Straight pieces of a ReLU network (n, 1) -> (n, 1) from low to high, on a grid of 20,001 points."""
    h = torch.linspace(low, high, 20_001, dtype=torch.float64)[:, None]  # (n, 1)
    switched = torch.zeros(20_000, dtype=torch.bool)  # whether any neuron changes from point to point
    for module in model:
        h = module(h)
        if isinstance(module, nn.ReLU):
            is_on = h > 0  # (n, width)
            switched |= (is_on[1:] != is_on[:-1]).any(dim=1)  # (n, width) -> (n - 1,)
    return int(switched.sum()) + 1


def make_mlp(sizes):
    """A float64 network with layers of the given sizes and ReLU between them."""
    modules = []
    for n_in, n_out in itertools.pairwise(sizes):
        modules += [nn.Linear(n_in, n_out, dtype=torch.float64), nn.ReLU()]
    return nn.Sequential(*modules[:-1])  # no ReLU after the last layer


random_pieces = {}  # hidden layers -> pieces of five random networks
print(f"{'hidden layers':16s}{'width':>8s}{'parameters':>12s}   pieces on [-1, 1], five seeds")
for depth, width in ((1, 100), (2, 15), (3, 11), (4, 9)):
    random_pieces[depth] = []
    for seed in range(5):
        torch.manual_seed(seed)
        mlp = make_mlp((1, *[width] * depth, 1))
        random_pieces[depth].append(count_pieces(mlp, -1, 1))
    size = sum(p.numel() for p in mlp.parameters())
    print(f"{depth:<16d}{width:8d}{size:12d}   {random_pieces[depth]}")

# %% [markdown]
# The opposite is true here. The network with one hidden layer has by far the most pieces, on every seed.
# Its hundred neurons each contribute a knot of their own, and about half of these lie in the interval. A
# deep network with narrow layers has fewer neurons for the same number of parameters, and random layers do
# little with each other's knots. So depth does not make more pieces by itself.
#
# ## What depth can do: use a piece again
#
# But a deep network _can_ have many more, if its layers are right for it. Take the *tent map* on $[0, 1]$,
#
# $$t(x) = 1 - |2x - 1| = \max(0, 2x) - \max(0, 4x - 2) ,$$
#
# two pieces from two ReLUs. While $x$ goes from $0$ to $1$, the output of the tent goes from $0$ to $1$ and
# back to $0$. If this output is the input of a second tent, the second tent is run through twice, once
# forward and once back, which makes four pieces. A third tent is run through four times. Six tents in a row
# make $2^6 = 64$ pieces from twelve neurons, while a single layer needs a neuron for each of the 63 bends.


# %%
def tents(x, k):
    """The tent map applied k times to x in [0, 1]: 2^k straight pieces."""
    for _ in range(k):
        x = 1 - abs(2 * x - 1)
    return x


tent_block = [  # weight and bias of its two layers, with a leading axis for networks side by side
    torch.tensor([[[2.0], [4.0]]], dtype=torch.float64),  # (1, 2, 1)
    torch.tensor([[[0.0, -2.0]]], dtype=torch.float64),  # (1, 1, 2)
    torch.tensor([[[1.0, -1.0]]], dtype=torch.float64),  # (1, 1, 2)
    torch.tensor([[[0.0]]], dtype=torch.float64),  # (1, 1, 1)
]


def forward(parameters, x):
    """Outputs (S, n, 1) of S ReLU networks for x (n, 1).

    parameters: weight (S, n_out, n_in) and bias (S, 1, n_out) of the first layer, then of the next, …
    """
    h = x
    for i in range(0, len(parameters), 2):
        h = h @ parameters[i].mT + parameters[i + 1]  # (S, n, n_in) @ (S, n_in, n_out) -> (S, n, n_out)
        if i < len(parameters) - 2:
            h = torch.relu(h)
    return h


def stack(block, k):
    """k copies of a block 1-w-1 in a row as one network 1-w-…-w-1: linear layers that meet become one."""
    weight_in, bias_in, weight_out, bias_out = block
    between = weight_in @ weight_out  # (S, w, 1) @ (S, 1, w) -> (S, w, w), as in `collapse`
    bias_between = bias_out @ weight_in.mT + bias_in  # (S, 1, 1) @ (S, 1, w) -> (S, 1, w)
    return [weight_in, bias_in, *[between, bias_between] * (k - 1), weight_out, bias_out]


grid = torch.linspace(0, 1, 257, dtype=torch.float64)[:, None]  # (257, 1)
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, k in zip(axes, (1, 2, 3, 6)):
    by_hand = forward(stack(tent_block, k), grid)[0]  # (1, 257, 1) -> (257, 1)
    torch.testing.assert_close(by_hand, tents(grid, k), rtol=0, atol=1e-12)
    ax.plot(grid, by_hand, "-", color="C1")
    ax.set(xlabel="x", title=f"{2 * k} neurons in {k} layer{'s' * (k > 1)}: {2**k} pieces")
axes[0].set_ylabel("output")
plt.show()

# %% [markdown]
# Each further layer doubles the number of pieces, because it is applied to all pieces that the layers
# before it have made. So a layer of a deep network can use again what the layers below have built, at every
# place where it occurs.
#
# These weights were set by hand, because we knew the function. So depth makes it _possible_ to express such
# a function with few parameters. Whether training finds such weights is another question, the first one of
# "Going further". Images and sentences have parts that occur again and again, too, and chapters 9 and 12
# build networks for that.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert staircase_gap < 1e-9, "merged into a staircase, the bumps make the same curve"
assert abs(rates["staircase"] + 1) < 0.05, "twice the neurons halve the staircase's error"
assert abs(rates["straight pieces"] + 2) < 0.05, "twice the neurons quarter the straight pieces' error"
for name in errors:
    assert np.all(errors[name] <= 1.01 * bounds[name]), f"no error is above its bound ({name})"
assert trained_errors[4].min() < errors["straight pieces"][0], "with 4 neurons, training beats even knots"
assert trained_errors[64].min() > 5 * errors["straight pieces"][4], "with 64, even knots beat it by far"
pieces_gap = np.abs(network(fine, relu, *straight_pieces(curve, n_stairs)) - curve(fine))  # (20001,)
stairs_gap = np.abs(network(fine, sigmoid, *staircase(curve, n_stairs)) - curve(fine))  # (20001,)
assert 0.6 < np.mean(pieces_gap < stairs_gap) < 0.75, "straight pieces are closer at two of three points"
beyond = np.linspace(1, 2, 1001)
outside = np.max(np.abs(trained[64](beyond) - curve(beyond)), axis=1)  # (8,)
assert outside.min() > 5 * trained_errors[64].max(), "outside its interval the network is far off"
for depth in (2, 3, 4):
    assert min(random_pieces[1]) > 2 * max(random_pieces[depth]), "random and wide has the most pieces"

# %% [markdown]
# ## Going further
#
# This part can be skipped: whether training finds the tents, two inputs instead of one, and why many inputs
# need more than this theorem.
#
# ### Does training find the tents?
#
# We train three networks with the same number of parameters (or two more) on six tents, 257 points, each at
# the best of four learning rates for each of five seeds:
#
# - _shallow_: one hidden layer of 38 neurons, 115 parameters,
# - _deep_: six hidden layers of 4 neurons, 113 parameters,
# - _deep, in stages_: one block 1-4-1 is trained on a single tent first, then six copies of it are
#   stacked, and all of their 113 weights are trained together.
#
# Before you look, remember that the shallow network cannot have more than 39 pieces, but could still come
# close. The optimizer is Adam (7.2), written out so that each network can have its own learning rate.


# %%
def start(sizes, n_networks, seed):
    """Random weights (S, n_out, n_in) of He's size (6.5) and biases (S, 1, n_out).

    The biases are zero, but for the first layer, whose knots begin all over [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for n_in, n_out in itertools.pairwise(sizes):
        weight = torch.randn(n_networks, n_out, n_in, generator=generator, dtype=torch.float64)
        weight = weight * math.sqrt(2 / n_in)
        bias = torch.zeros(n_networks, 1, n_out, dtype=torch.float64)
        if not parameters:
            bias = -weight.mT * torch.rand(n_networks, 1, n_out, generator=generator, dtype=torch.float64)
        parameters += [weight, bias]
    return parameters


def fit(parameters, rates, x, y, n_steps=1000):
    """Train S networks at each of the rates; returns the best of each (by its loss), and their S losses.

    A loss that is no number counts as infinite. Raises ValueError if there is no rate.
    """
    if not rates:
        raise ValueError("at least one learning rate is needed")
    n_networks = len(parameters[0])
    parameters = [p.repeat(len(rates), 1, 1).requires_grad_() for p in parameters]  # (R · S, …)
    rate = torch.tensor(rates).repeat_interleave(n_networks)[:, None, None]  # (R · S, 1, 1)
    first_moments = [torch.zeros_like(p) for p in parameters]
    second_moments = [torch.zeros_like(p) for p in parameters]
    for step in range(1, n_steps + 1):
        losses = ((forward(parameters, x) - y) ** 2).mean(dim=(1, 2))  # (R · S,)
        gradients = torch.autograd.grad(losses.sum(), parameters)
        decay = 0.5 * (1 + math.cos(math.pi * (step - 1) / n_steps))  # the rate falls to zero at the end
        with torch.no_grad():
            for p, grad, m, v in zip(parameters, gradients, first_moments, second_moments):
                # running means of the gradients and of their squares; [:] changes the tensor in the list
                m[:] = 0.9 * m + 0.1 * grad
                v[:] = 0.999 * v + 0.001 * grad * grad
                size = (v / (1 - 0.999**step)).sqrt() + 1e-8
                p -= rate * decay * (m / (1 - 0.9**step)) / size
    with torch.no_grad():
        losses = ((forward(parameters, x) - y) ** 2).mean(dim=(1, 2)).view(len(rates), n_networks)
    losses = losses.nan_to_num(nan=math.inf)  # or argmin would choose it
    best = losses.argmin(dim=0) * n_networks + torch.arange(n_networks)  # (S,): index of each seed's best
    return [p.detach()[best] for p in parameters], losses.min(dim=0).values


def as_model(parameters, index):
    """One of the S networks as an `nn.Sequential`."""
    model = make_mlp([1] + [bias.shape[2] for bias in parameters[1::2]])
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), parameters, strict=True):
            parameter.copy_(values[index].view_as(parameter))  # (1, n_out) -> (n_out,) for a bias
    return model


# %%
n_seeds = 5
n_tents = 6
target = tents(grid, n_tents)
coarse = torch.linspace(0, 1, 129, dtype=torch.float64)[:, None]
usual_rates = (1e-3, 3e-3, 1e-2, 3e-2)
fitted = {
    "shallow": fit(start((1, 38, 1), n_seeds, 0), usual_rates, grid, target),
    "deep": fit(start((1, *[4] * n_tents, 1), n_seeds, 0), usual_rates, grid, target),
}
block, block_losses = fit(start((1, 4, 1), n_seeds, 0), usual_rates, coarse, tents(coarse, 1))
fitted["deep, in stages"] = fit(stack(block, n_tents), (1e-5, 1e-4, 3e-4, 1e-3), grid, target)

between_points = torch.linspace(0, 1, 10_007, dtype=torch.float64)[:, None]  # not only the training points
print(f"{'network':18s}{'parameters':>12s}   {'mean squared error, five seeds':47s}pieces, five seeds")
unseen_losses = {}
fitted_pieces = {}  # name -> pieces on [0, 1] of each of the S networks
for name, (parameters, losses) in fitted.items():
    size = sum(p[0].numel() for p in parameters)
    gaps = forward(parameters, between_points) - tents(between_points, n_tents)  # (S, 10007, 1)
    unseen_losses[name] = (gaps**2).mean(dim=(1, 2)).numpy()  # (S,)
    fitted_pieces[name] = [count_pieces(as_model(parameters, seed), 0, 1) for seed in range(n_seeds)]
    print(
        f"{name:18s}{size:12d}   "
        + " ".join(f"{loss:8.1e}" for loss in losses)
        + "   "
        + " ".join(f"{n_pieces:4d}" for n_pieces in fitted_pieces[name])
    )
print(f"{'the single block':30s}   " + " ".join(f"{loss:8.1e}" for loss in block_losses))
variance = target.var().item()
print(f"always the mean: {variance:.1e}")

# knots by hand on the first 37 corners, output weights by least squares: one better shallow network
corners = np.arange(38) / 64
columns = np.column_stack([relu(grid.numpy() - corners), np.ones(len(grid))])  # (257, 39)
solution = np.linalg.lstsq(columns, target.numpy()[:, 0])[0]
placed_loss = np.mean((columns @ solution - target.numpy()[:, 0]) ** 2)  # (257, 39) @ (39,) -> (257,)
print(f"shallow, with 38 knots placed by hand: {placed_loss:.1e}")

# %%
fig, axes = plt.subplots(3, 1, figsize=(10, 6.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, (parameters, losses)) in zip(axes, fitted.items()):
    ax.plot(grid, target, "-", color="C0", linewidth=0.8, label="six tents")
    ax.plot(grid, forward(parameters, grid)[0], "--", color="C1", linewidth=1.6, label="network of seed 0")
    ax.set(title=f"{name}: mean squared error {losses[0]:.1e}", ylabel="output")
axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8)
axes[-1].set_xlabel("x")
plt.show()

# %% [markdown]
# The shallow network does no better than the mean of the target, on any seed. Part of this is the
# training, since with knots placed by hand the error is less than half as large. But no 38 neurons can
# reach zero, because they have too few bends. The deep network, which could reach zero, does not get there
# either: its training stays at the mean, and of its many possible pieces only a few are left in the
# interval. In stages it works on four of five seeds here, also between the training points. On the
# remaining seed the block has not learned the tent in the first stage, as its loss in the table shows, and
# further training does not repair six copies of a bad tent. (Of eighty other blocks about one in six
# failed in this way.) We knew the structure beforehand, and started the training inside it.

# %% [markdown]
# ### Towers
#
# On a plane a bump becomes a tower. One hidden layer would do, says the theorem, but with two we can see
# how it is done. A strip along $x$ and a strip along $y$, both of height one, add up to $2$ where they
# cross and to less elsewhere, so a sigmoid with its step at $1.5$ keeps only the crossing. Each of
# $n \times n$ towers gets the height of the surface at its centre. We measure the median error over points
# inside the towers, and the largest error, also at the corners where four towers meet. How should they fall
# with $n$?


# %%
def towers(f, n, x, y, steepness=50):
    """n × n towers under f on the unit square, at every pair of the points x (P,) and y (Q,): (P, Q)."""
    middles = (np.arange(n) + 0.5) / n  # (n,)
    strips_x, strips_y = (
        np.stack([bump(points, m - 0.5 / n, m + 0.5 / n, steepness * n) for m in middles], axis=1)
        for points in (x, y)
    )  # (P, n) and (Q, n)
    # (P, 1, n, 1) + (1, Q, 1, n) -> (P, Q, n, n)
    both = strips_x[:, None, :, None] + strips_y[None, :, None, :]
    return np.sum(sigmoid(steepness * (both - 1.5)) * f(middles[:, None], middles[None, :]), axis=(2, 3))


def surface(x, y):
    """The surface to follow on the unit square."""
    return np.sin(5 * x) * np.cos(4 * y) + x * y


points = (np.arange(64) + 0.5) / 64  # (64,)
exact = surface(points[:, None], points[None, :])  # (64, 1) and (1, 64) -> (64, 64)
built = {}
median_errors = {}
largest_errors = {}
print(f"{'towers':>8s}{'median error':>16s}{'largest error':>16s}")
for n_side in (4, 8, 16):
    built[n_side] = towers(surface, n_side, points, points)
    median_errors[n_side] = np.median(np.abs(built[n_side] - exact))
    corners_of_towers = np.arange(1, n_side) / n_side  # (n_side - 1,)
    at_corners = towers(surface, n_side, corners_of_towers, corners_of_towers)
    corner_gap = at_corners - surface(corners_of_towers[:, None], corners_of_towers[None, :])
    largest_errors[n_side] = max(np.abs(corner_gap).max(), np.abs(built[n_side] - exact).max())
    print(f"{n_side**2:8d}{median_errors[n_side]:16.4f}{largest_errors[n_side]:16.4f}")

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
limit = np.abs(exact).max()
pictures = {"the surface": exact, **{f"{n_side**2} towers": image for n_side, image in built.items()}}
for ax, (title, image) in zip(axes, pictures.items()):
    shown = ax.imshow(image.T, origin="lower", extent=(0, 1, 0, 1), cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="x")
axes[0].set_ylabel("y")
fig.colorbar(shown, ax=axes, shrink=0.8, label="height")
plt.show()

# %% [markdown]
# The median error halves each time, and each halving takes four times as many towers. The largest error
# does not fall, because where four towers meet, each strip has only half its height, so their sum is $1$,
# no tower is kept, and the surface has a hole. The holes become narrower with every step, but their depth
# is the height of the surface. So this construction is good at most points, and it is not what the theorem
# promises, which is a small error everywhere.
#
# With $d$ inputs, halving the error takes $2^d$ times as many towers. With 16 along each side, images of
# 64 pixels would need $16^{64} \approx 10^{77}$. That networks learn to read images nevertheless is not
# due to this theorem. It has to do with the images, which are far from arbitrary, and with the training.

# %%
losses = {name: loss.numpy() for name, (_, loss) in fitted.items()}
has_tent = block_losses.numpy() < 1e-3  # (S,): whether the block has learned the single tent
assert has_tent.sum() in (3, 4), "most blocks learn the tent, but not all"
assert losses["deep, in stages"][has_tent].max() < 1e-3, "from such a block the deep network fits six tents"
assert unseen_losses["deep, in stages"][has_tent].max() < 1e-3, "also between the training points"
assert losses["deep, in stages"][~has_tent].min() > 0.5 * variance, "from the other block it does not"
assert losses["shallow"].min() > 0.9 * variance, "the shallow one does no better than the mean"
assert losses["deep"].min() > 0.9 * variance, "without stages the deep one does no better than the mean"
assert max(fitted_pieces["deep"]) < min(fitted_pieces["shallow"]), "trained directly, wide has more"
assert 0.1 * variance < placed_loss < 0.5 * variance, "38 knots placed by hand halve the error, but no more"
for coarse_side, fine_side in ((4, 8), (8, 16)):
    ratio = median_errors[fine_side] / median_errors[coarse_side]
    assert 0.4 < ratio < 0.6, "four times the towers halve the median error"
    assert largest_errors[fine_side] > 0.9 * largest_errors[coarse_side], "the largest error does not fall"

# %% [markdown]
# ## What to remember
#
# - Linear layers in a row are one linear layer. Only the activation between them adds anything.
# - One hidden layer can follow any continuous function on a closed box, if its activation is not a
#   polynomial and it has enough neurons.
# - The theorem says nothing about how many neurons, about training, or about inputs outside the box.
# - At equal size, a random deep network has fewer straight pieces than a shallow one. What depth can do is
#   use again what earlier layers have built, but training has to find it.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `STEEPNESS = 3`. The stairs become round. Does the error of the staircase grow or shrink? Look at
#    the first figure and at the table.
# 2. Follow a curve that begins vertically: let `curve` return `np.sqrt(x)`. (Outside the interval, where
#    the root does not exist, use `np.sqrt(np.abs(x))`.) What becomes of the two slopes in the second
#    figure, and why?
# 3. From a blank cell at the end: give `network` the activation $z^2$, fifty random weights and biases,
#    and find the output weights by least squares. Compare its largest error on `fine` with that of the
#    best parabola (`np.polyfit`).
#
# ## Sources
#
# - G. Cybenko, "Approximation by superpositions of a sigmoidal function", 1989; K. Hornik, M. Stinchcombe,
#   H. White, "Multilayer feedforward networks are universal approximators", 1989: the theorem for
#   sigmoids.
# - M. Leshno, V. Lin, A. Pinkus, S. Schocken, "Multilayer feedforward networks with a nonpolynomial
#   activation function can approximate any function", 1993: which activations will do.
# - M. Telgarsky, "Benefits of depth in neural networks", COLT 2016: repeated tents, which shallow networks
#   cannot follow. Reproduced: "38 knots placed by hand halve the error, but no more".
# - B. Hanin, D. Rolnick, "Complexity of linear regions in deep networks", ICML 2019: in random networks
#   the number of pieces grows with the number of neurons, whatever the depth. Reproduced: "random and wide
#   has the most pieces".
# - M. A. Nielsen, _Neural networks and deep learning_, 2015, chapter 4: bumps and towers by hand.
