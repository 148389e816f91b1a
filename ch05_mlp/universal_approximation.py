# %% [markdown]
# # 5.3 Universal approximation: any curve from a few bends
#
# A child draws a round hill with a stack of bricks: the thinner the bricks, the rounder the hill. A layer
# of neurons is a box of bricks. With enough of them it can follow any continuous curve as closely as you
# like, says the *universal approximation theorem*, and we can lay them by hand, without any training.
#
# **You will build** networks that follow a curve, weight by weight, measure how fast more neurons help,
# and see what this does not promise. **You need** activations (5.2) and training in PyTorch (4.4).

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Two layers without an activation, $2x + 1$ and then $3h - 4$, give $3(2x + 1) - 4 = 6x - 1$: one line
# again. Put a ReLU between the layers, and two hidden neurons can do what no line can:
# $\max(0, x) + \max(0, -x) = |x|$.

# %%
x = np.array([-2.0, -0.5, 0.0, 3.0])
relu = lambda z: np.maximum(z, 0)
print("two lines:", 3 * (2 * x + 1) - 4, "  two hinges:", relu(x) + relu(-x))
np.testing.assert_array_equal(3 * (2 * x + 1) - 4, 6 * x - 1)
np.testing.assert_array_equal(relu(x) + relu(-x), np.abs(x))

# %% [markdown]
# ## Depth without bends is nothing
#
# It holds at any size. Feeding one layer into the next multiplies their matrices:
#
# $$(x W_1^\top + b_1)\, W_2^\top + b_2 = x\, (W_2 W_1)^\top + (W_2 b_1 + b_2) .$$
#
# Do this again and again, and a stack of any depth becomes a single layer.


# %%
def collapse(layers):
    """The one (weight, bias) that does what a list of them does; (n_out, n_in) and (n_out,) each."""
    weight, bias = layers[0]
    for next_weight, next_bias in layers[1:]:
        weight = next_weight @ weight  # (n_next, n_out) @ (n_out, n_in) -> (n_next, n_in)
        bias = next_weight @ bias + next_bias  # (n_next, n_out) @ (n_out,) -> (n_next,)
    return weight, bias


sizes = (3, 50, 20, 50, 2)
layers = [
    (rng.normal(size=(n_out, n_in)) / np.sqrt(n_in), rng.normal(size=n_out))
    for n_in, n_out in itertools.pairwise(sizes)
]
x = rng.normal(size=(100, 3))
h = x
for weight, bias in layers:
    h = h @ weight.T + bias  # (B, n_in) @ (n_in, n_out) -> (B, n_out)
n_numbers = sum(weight.size + bias.size for weight, bias in layers)
weight, bias = collapse(layers)
gap = np.max(np.abs(h - (x @ weight.T + bias)))  # (B, 3) @ (3, 2) -> (B, 2)
print(f"{n_numbers} numbers do the work of {weight.size + bias.size}, gap {gap:.1e}")
assert gap < 1e-12

# %% [markdown]
# ## One hidden layer, and a curve to follow
#
# From here on a network has one input, one hidden layer and one output:
#
# $$\hat f(x) = \sum_i v_i\, a(w_i x + b_i) + c .$$
#
# The curve is smooth and has a few hills; no single neuron looks like it. Its steepest slope,
# $\max |f'|$, and its sharpest bend, $\max |f''|$, measured on a fine grid, will tell how good we can be.


# %%
def network(x, activation, weight, bias, out_weight, out_bias):
    """c + Σ v a(w x + b) at the points x, (n,) -> (n,); weight, bias, out_weight: (H,) each."""
    hidden = activation(x[:, None] * weight + bias)  # (n, 1) * (H,) -> (n, H)
    return hidden @ out_weight + out_bias  # (n, H) @ (H,) -> (n,)


def sigmoid(z):
    """1 / (1 + exp(-z)) without overflow, as in lesson 5.2."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def curve(x):
    return np.sin(2 * np.pi * x) + 0.5 * x * np.cos(5 * np.pi * x)


fine = np.linspace(0, 1, 20_001)
slope = np.gradient(curve(fine), fine)
steepest, sharpest = np.max(np.abs(slope)), np.max(np.abs(np.gradient(slope, fine)))
print(f"steepest slope {steepest:.2f}, sharpest bend {sharpest:.1f}")

# %% [markdown]
# ## A bump from two sigmoids
#
# A sigmoid with a large weight is nearly a step, and its bias says where: $\sigma(k (x - t))$ rises at
# $t$. One step up at $t_1$ and one down at $t_2$ leave a *bump* of height one between them. Bumps side by
# side, each as high as the curve there, make a staircase.


# %%
def bump(x, start, stop, steepness):
    """Close to 1 between start and stop, close to 0 elsewhere: a network of two hidden neurons."""
    weight = np.array([steepness, steepness])
    return network(x, sigmoid, weight, -weight * [start, stop], np.array([1.0, -1.0]), 0.0)


for place in (0.2, 0.5, 0.8):
    print(f"bump from 0.4 to 0.6, at {place}: {bump(np.array([place]), 0.4, 0.6, 200)[0]:.6f}")
np.testing.assert_allclose(bump(np.array([0.2, 0.5, 0.8]), 0.4, 0.6, 200), [0, 1, 0], atol=1e-6)

# %% [markdown]
# Where one bump ends the next begins, so their two steps merge into one neuron, whose output weight is
# the difference in height. With $n$ stairs of width $1/n$, each as high as the curve at its middle, we
# are wrong by at most half a stair's rise:
#
# $$\text{error} \le \frac{\max |f'|}{2n} .$$


# %%
def staircase(f, n, steepness=100):
    """The n - 1 sigmoids, of weight steepness · n, that climb n stairs along f on [0, 1]."""
    edges = np.arange(1, n) / n  # (n - 1,)
    heights = f((np.arange(n) + 0.5) / n)  # (n,)
    weight = np.full(n - 1, steepness * n)
    return weight, -weight * edges, np.diff(heights), heights[0]


n = 12
middles = (np.arange(n) + 0.5) / n
bumps = sum(curve(m) * bump(fine, m - 0.5 / n, m + 0.5 / n, 100 * n) for m in middles)
inside = (fine > 0.02) & (fine < 0.98)  # the first and the last bump have outer edges, the staircase does not
gap = np.max(np.abs(bumps - network(fine, sigmoid, *staircase(curve, n)))[inside])
print(f"a sum of {n} bumps against the merged staircase: gap {gap:.1e}")
assert gap < 1e-9

# %% [markdown]
# ## Hinges do better
#
# A ReLU is a *hinge*: flat up to its knot, straight after it. A chain of hinges runs straight from knot
# to knot, and each output weight is the change of slope at its knot. At the knots the chain is exact;
# between them a smooth curve bulges away from its chord by at most
#
# $$\text{error} \le \frac{\max |f''|}{8 n^2} .$$


# %%
def hinges(f, n):
    """The weights of n ReLUs that connect f's values at n + 1 even knots on [0, 1] by straight lines."""
    knots = np.linspace(0, 1, n + 1)  # (n + 1,)
    slopes = np.diff(f(knots)) * n  # (n,)
    return np.ones(n), -knots[:-1], np.diff(slopes, prepend=0.0), f(knots[0])


knots = np.linspace(0, 1, n + 1)
gap = np.max(np.abs(network(knots, relu, *hinges(curve, n)) - curve(knots)))
print(f"hinges at their own knots: gap {gap:.1e}")
assert gap < 1e-12

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
left.plot(fine, bump(fine, 0.3, 0.6, 40), "-", color="C1", label="difference")
left.plot(fine, sigmoid(40 * (fine - 0.3)), ":", color="0.4", label="first sigmoid")
left.plot(fine, -sigmoid(40 * (fine - 0.6)), "--", color="0.4", label="minus the second")
left.set(xlabel="x", title="Two sigmoids make a bump")
for ax, activation, weights, title in (
    (middle, sigmoid, staircase(curve, n), "Bumps make a staircase"),
    (right, relu, hinges(curve, n), "Hinges connect the dots"),
):
    ax.plot(fine, curve(fine), "--", color="C0", label="curve")
    ax.plot(fine, network(fine, activation, *weights), "-", color="C1", label=f"{len(weights[0])} neurons")
    ax.set(xlabel="x", title=title)
right.plot(knots, curve(knots), "o", color="C0", markersize=4, fillstyle="none")
for ax in (left, middle, right):
    ax.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# ## How fast more neurons help
#
# The two bounds predict straight lines on log-log axes: twice the neurons, half the error for the
# staircase (whose $n$ stairs take one neuron fewer) and a quarter for the hinges. Measure the largest
# error anywhere, and fit the slopes where there are neurons enough to see every hill.

# %%
widths = 2 ** np.arange(2, 10)
errors = {"staircase": [], "hinges": []}
for n in widths:
    errors["staircase"].append(np.max(np.abs(network(fine, sigmoid, *staircase(curve, n)) - curve(fine))))
    errors["hinges"].append(np.max(np.abs(network(fine, relu, *hinges(curve, n)) - curve(fine))))
limits = {"staircase": steepest / (2 * widths), "hinges": sharpest / (8.0 * widths**2)}
rates = {name: np.polyfit(np.log(widths[3:]), np.log(row[3:]), 1)[0] for name, row in errors.items()}
print(f"{'neurons':>12s}{'staircase':>12s}{'limit':>12s}{'hinges':>12s}{'limit':>12s}")
for i, n in enumerate(widths):
    print(f"{n:12d}" + "".join(f"{row[i]:12.3g}" for name in errors for row in (errors[name], limits[name])))
print("rates:", {name: round(float(rate), 3) for name, rate in rates.items()})
assert abs(rates["staircase"] + 1) < 0.05 and abs(rates["hinges"] + 2) < 0.05
assert all(np.all(errors[name] <= 1.01 * limits[name]) for name in errors)

# %% [markdown]
# ## Now let it train
#
# The theorem says that good weights exist. Does gradient descent find them? Eight ReLU networks, side by
# side in one tensor, start from different random weights and follow the same curve. We do this at several
# widths, and lay the hand-built hinges beside them.


# %%
def train(width, n_networks=8, n_steps=1500, learning_rate=0.02):
    """Fit `n_networks` one-layer ReLU networks to the curve; returns a function of points in [0, 1]."""
    torch.manual_seed(0)
    weight = torch.randn(n_networks, 1, width, dtype=torch.float64)
    bias = 4 * torch.rand(n_networks, 1, width, dtype=torch.float64) - 2
    out_weight = torch.randn(n_networks, width, 1, dtype=torch.float64) / width**0.5
    out_bias = torch.zeros(n_networks, 1, dtype=torch.float64)
    parameters = [p.requires_grad_() for p in (weight, bias, out_weight, out_bias)]

    def predict(points):
        u = 4 * torch.as_tensor(points)[None, :, None] - 2  # (1, n, 1), in (-2, 2)
        hidden = torch.relu(u * weight + bias)  # (1, n, 1) * (S, 1, H) -> (S, n, H)
        return (hidden @ out_weight)[..., 0] + out_bias  # (S, n, H) @ (S, H, 1) -> (S, n, 1) -> (S, n)

    x = np.linspace(0, 1, 101)
    y = torch.from_numpy(curve(x))  # (101,)
    optimizer = torch.optim.SGD(parameters, lr=learning_rate)
    for _ in range(n_steps):
        loss = ((predict(x) - y) ** 2).mean(dim=1).sum()  # each network has its own mean
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return lambda points: predict(points).detach().numpy()


print(f"{'neurons':>12s}{'by hand':>12s}{'best of 8':>12s}{'worst of 8':>12s}")
trained, trained_errors = {}, {}
for width in (4, 16, 64):
    trained[width] = train(width)
    trained_errors[width] = np.max(np.abs(trained[width](fine) - curve(fine)), axis=1)  # (8, 20001) -> (8,)
    by_hand = errors["hinges"][list(widths).index(width)]
    print(f"{width:12d}{by_hand:12.3g}{trained_errors[width].min():12.3g}{trained_errors[width].max():12.3g}")
assert trained_errors[4].min() < errors["hinges"][0] and trained_errors[64].min() > 5 * errors["hinges"][4]

# %% [markdown]
# With few neurons the best of the eight beats our even spacing: training may move the knots, too. With
# many, all eight fall far behind what we know to be possible, because gradient descent has not found those
# weights in the time it had. The theorem never said it would.
#
# Nor does it speak of anything outside the interval. Beyond the last knot a ReLU network runs straight on
# for ever, whatever the curve does.

# %%
beyond = np.linspace(1, 2, 1001)
outside = np.max(np.abs(trained[64](beyond) - curve(beyond)), axis=1)  # (8,)
far = trained[64](np.linspace(1e4, 1e4 + 1, 11))  # (8, 11)
bends = np.abs(np.diff(far, n=2, axis=1))  # (8, 9): second differences, 0 on a line
print(f"largest error inside {trained_errors[64].max():.2f}, outside {outside.min():.2f} at least")
assert outside.min() > 5 * trained_errors[64].max() and bends.max() < 1e-6

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, row), style in zip(errors.items(), ("o-", "s--")):
    left.loglog(widths, row, style, markersize=4, label=f"{name}, slope {rates[name]:.2f}")
for width, row in trained_errors.items():
    label = "trained hinges, eight starts" if width == 4 else None
    left.loglog([width] * 8, row, "^", color="C2", fillstyle="none", label=label)
left.set(xlabel="hidden neurons", ylabel="largest error", title="By hand the error falls as predicted")
left.legend(loc="lower left")
wide = np.linspace(-0.5, 1.5, 401)
right.axvspan(0, 1, color="0.93", zorder=0)
right.plot(wide, curve(wide), "--", color="C0", label="curve")
right.plot(wide, trained[64](wide)[0], "-", color="C1", label="trained network")
right.set(xlabel="x", title="Outside its interval it knows nothing", ylim=(-2.5, 2.5))
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## The same in PyTorch, and without bends
#
# The hand-built weights go into `nn.Sequential` as they are: a `Linear`, a `ReLU`, a `Linear`. The result
# must be the same network. Take the ReLU out, and whatever the depth, training ends at the one straight
# line that least squares finds directly.


# %%
def fit_linear(depth, width=16, n_steps=1000, learning_rate=0.05):
    """Mean squared error on the curve after training a stack of `depth` linear layers."""
    torch.manual_seed(0)
    sizes = [1] + [width] * (depth - 1) + [1]
    model = nn.Sequential(*[nn.Linear(a, b, dtype=torch.float64) for a, b in itertools.pairwise(sizes)])
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    for _ in range(n_steps):
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


weight, bias, out_weight, out_bias = map(torch.as_tensor, hinges(curve, 16))
model = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1)).double()
with torch.no_grad():
    model[0].weight.copy_(weight[:, None])  # (16, 1)
    model[0].bias.copy_(bias)
    model[2].weight.copy_(out_weight[None, :])  # (1, 16)
    model[2].bias.copy_(out_bias)
    theirs = model(torch.from_numpy(fine)[:, None])[:, 0].numpy()  # (20001, 1) -> (20001,)
largest = np.max(np.abs(network(fine, relu, *hinges(curve, 16)) - theirs))
print(f"largest difference {largest:.1e}")
assert largest < 1e-12

# %%
x = np.linspace(0, 1, 101)
inputs, targets = torch.from_numpy(x)[:, None], torch.from_numpy(curve(x))[:, None]  # (101, 1) each
line_loss = np.mean((np.polyval(np.polyfit(x, curve(x), 1), x) - curve(x)) ** 2)
bent_loss = np.mean((network(x, relu, *hinges(curve, 16)) - curve(x)) ** 2)
linear_losses = {depth: fit_linear(depth) for depth in (1, 2, 5)}
print(f"best line {line_loss:.5f}   16 hinges {bent_loss:.5f}")
print("linear layers:", {depth: round(loss, 5) for depth, loss in linear_losses.items()})
for loss in linear_losses.values():
    assert line_loss - 1e-12 < loss < 1.05 * line_loss
assert bent_loss < 0.01 * line_loss

# %% [markdown]
# ## Two inputs: towers
#
# On a plane a bump becomes a tower. One hidden layer would still do, says the theorem, but with a second
# one we can see how: a strip of $x$ plus a strip of $y$ is $2$ only where both cross, and a neuron with
# its threshold at $1.5$ keeps only that. Each tower gets the height of the surface at its centre.


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
    return np.sin(5 * x) * np.cos(4 * y) + x * y


points = (np.arange(64) + 0.5) / 64  # (64,)
exact = surface(points[:, None], points[None, :])  # (64, 1) and (1, 64) -> (64, 64)
built, tower_errors = {}, {}
for n in (4, 8, 16):
    built[n] = towers(surface, n, points, points)
    tower_errors[n] = np.median(np.abs(built[n] - exact))
    print(f"{n:2d} × {n:2d} = {n * n:4d} towers: median error {tower_errors[n]:.4f}")
assert 0.4 < tower_errors[8] / tower_errors[4] < 0.6 and 0.4 < tower_errors[16] / tower_errors[8] < 0.6

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
limit = np.abs(exact).max()
pictures = {"the surface": exact, **{f"{n * n} towers": image for n, image in built.items()}}
for ax, (title, image) in zip(axes, pictures.items()):
    shown = ax.imshow(image.T, origin="lower", extent=(0, 1, 0, 1), cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="x")
axes[0].set_ylabel("y")
fig.colorbar(shown, ax=axes, shrink=0.8, label="height")
fig.suptitle("In two dimensions, half the error costs four times the towers")
plt.show()

# %% [markdown]
# Half the error took four times the towers; with $d$ inputs it takes $2^d$ times. At sixteen to a side, as
# in the last picture, a digit of $64$ pixels would need $16^{64} \approx 10^{77}$ towers. Existence is
# cheap. That networks nevertheless read digits is a fact about digits, and about training, which the
# theorem leaves open.
#
# ## What to remember
#
# - Linear layers in a row are one linear layer. Only the bend between them adds anything.
# - One hidden layer can follow any continuous curve on an interval: bumps from sigmoids, with an error
#   like $1/n$, or chains of hinges, with $1/n^2$ on a smooth curve.
# - The theorem promises that weights exist. It does not say that training finds them, how many it takes
#   in many dimensions, or anything about inputs outside.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Give `staircase` a steepness of $3$. The error gets smaller. Why?
# 2. Replace the curve by `np.sqrt(x)`. What becomes of the two rates, and where is the largest error?
# 3. Start `train` from the hand-built hinges. Does the loss fall further?
#
# ## Sources
#
# - G. Cybenko, "Approximation by superpositions of a sigmoidal function", 1989.
# - K. Hornik, M. Stinchcombe, H. White, "Multilayer feedforward networks are universal approximators",
#   1989.
# - M. Leshno, V. Lin, A. Pinkus, S. Schocken, "Multilayer feedforward networks with a nonpolynomial
#   activation function can approximate any function", 1993: which bends will do.
# - M. A. Nielsen, *Neural networks and deep learning*, 2015, chapter 4: bumps and towers by hand.
