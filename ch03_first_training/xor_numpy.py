# %% [markdown]
# # 3.5 XOR in NumPy: why a network needs a hidden layer
#
# A lamp on a staircase has two switches. It is on when exactly one of them is up; flip either and it
# changes. Computers call this *exclusive or*, XOR. No straight line separates "on" from "off", so
# everything built so far must fail. One more layer folds the plane until a line is enough.
#
# **You will build** a network with a hidden layer, its gradients derived by hand, and a count of how often
# its training fails. **You need** the training loop (3.3), cross-entropy (3.2) and the chain rule (2.3).

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)  # (4, 2): both switches
y = np.array([0, 1, 1, 0])  # (4,): the lamp

# %% [markdown]
# ## On paper first
#
# Suppose a line did it: a score $s = w_1 x_1 + w_2 x_2 + b$, positive where the lamp is on. The four
# points demand
#
# $$b < 0, \qquad w_2 + b > 0, \qquad w_1 + b > 0, \qquad w_1 + w_2 + b < 0 .$$
#
# Add the two in the middle: $w_1 + w_2 + 2b > 0$. Add the outer two: $w_1 + w_2 + 2b < 0$. Both cannot be,
# so there is no such line. How near can one get? We try them all: every direction, at every offset, in
# small steps.

# %%
angles, offsets = np.meshgrid(np.linspace(0, 2 * np.pi, 361), np.linspace(-2, 2, 401))  # each (401, 361)
line_scores = np.cos(angles)[..., None] * x[:, 0] + np.sin(angles)[..., None] * x[:, 1] + offsets[..., None]
points_right = ((line_scores > 0) == y).sum(axis=-1)  # (401, 361, 4) -> (401, 361)
for count in range(5):
    print(f"{count} points right: {np.sum(points_right == count):7,} of {points_right.size:,} lines")
assert points_right.max() == 3

# %% [markdown]
# What does training do with an impossible task? Logistic regression (3.3) ends at the guesser's loss, $\ln
# 2$, with all weights zero: its loss is convex, and by symmetry nothing is better than knowing nothing.


# %%
def sigmoid(score):
    """1 / (1 + exp(-score)) without overflow."""
    small = np.exp(-np.abs(score))
    return np.where(score >= 0, 1, small) / (1 + small)


n_steps = 2000
w, b, linear_losses = rng.normal(size=2), 0.5, []
for _ in range(n_steps):
    scores = x @ w + b  # (4, 2) @ (2,) -> (4,)
    linear_losses.append(np.mean(np.logaddexp(0, scores) - y * scores))
    error = (sigmoid(scores) - y) / len(y)  # (4,)
    w, b = w - x.T @ error, b - error.sum()  # (2, 4) @ (4,) -> (2,)
print(f"linear model: loss {linear_losses[-1]:.6f}, ln 2 = {math.log(2):.6f}, weights {np.round(w, 6)}")
np.testing.assert_allclose(linear_losses[-1], math.log(2), atol=1e-9)

# %% [markdown]
# ## Two neurons in between
#
# People solve it in two stages: the lamp is on if *at least one* switch is up, but not *both*. Each stage
# is a line. A *hidden* neuron asks for at least one, another asks for both; a last neuron takes the first
# minus the second. By hand, with neurons that say 0 or 1:

# %%
at_least_one = (x[:, 0] + x[:, 1] - 0.5 > 0).astype(int)
both = (x[:, 0] + x[:, 1] - 1.5 > 0).astype(int)
lamp = (at_least_one - both - 0.5 > 0).astype(int)
print(f"{'switches':20s}{'one or more':>12s}{'both':>12s}{'lamp':>12s}")
for row in zip(x.astype(int), at_least_one, both, lamp):
    print(f"{row[0]!s:20s}" + "".join(f"{value:12d}" for value in row[1:]))
np.testing.assert_array_equal(lamp, y)

# %% [markdown]
# ## Forward
#
# To be trained, the neurons need slopes. So each bends its sum by a smooth function instead of a step,
# its *activation*: here $\tanh$, the *hyperbolic tangent*, which climbs from $-1$ to $1$. With a row of
# $W_1$ for each of $H$ hidden neurons, on a batch $X$:
#
# $$Z = X W_1^\top + b_1, \qquad A = \tanh Z, \qquad s = A W_2^\top + b_2, \qquad p = \sigma(s) .$$


# %%
def initial(hidden_size, rng):
    """Parameters of a 2-H-1 network: normal weights (H, 2) and (1, H), zero biases (H,) and (1,)."""
    return [
        rng.normal(size=(hidden_size, 2)),
        np.zeros(hidden_size),
        rng.normal(size=(1, hidden_size)),
        np.zeros(1),
    ]


def forward(parameters, x):
    """Hidden values (n, H) and scores (n,) of the network at points x (n, 2)."""
    weight1, bias1, weight2, bias2 = parameters
    hidden = np.tanh(x @ weight1.T + bias1)  # (n, 2) @ (2, H) -> (n, H)
    return hidden, (hidden @ weight2.T + bias2)[:, 0]  # (n, H) @ (H, 1) -> (n, 1) -> (n,)


def loss_of(scores, y):
    """Mean cross-entropy (nats) of scores (n,) at labels y (n,), 0 or 1. ValueError on other shapes."""
    if scores.shape != y.shape:
        raise ValueError(f"scores have shape {scores.shape} but labels {y.shape}")
    return np.mean(np.logaddexp(0, scores) - y * scores)


# %% [markdown]
# ## Backward, by hand
#
# Walk the same road back and multiply slopes (2.3). The score's slope is known, probability minus truth.
# It passes through $W_2$ to each hidden value, through $\tanh' = 1 - \tanh^2$ to its sum, and from there
# to $W_1$ as it came:
#
# $$\delta = \frac{p - y}{n}, \quad
#   \frac{\partial L}{\partial W_2} = \delta^\top A, \quad
#   \frac{\partial L}{\partial Z} = (\delta\, W_2) \odot (1 - A^2), \quad
#   \frac{\partial L}{\partial W_1} = \Big(\frac{\partial L}{\partial Z}\Big)^{\!\top} X .$$
#
# A bias gets the sum of what arrives at its neuron. The sign $\odot$ multiplies element by element.


# %%
def backward(parameters, x, y, hidden, scores):
    """Gradients of the loss along each parameter, in the parameters' order and shapes."""
    weight2 = parameters[2]
    delta = ((sigmoid(scores) - y) / len(y))[:, None]  # (n,) -> (n, 1)
    weight2_grad = delta.T @ hidden  # (1, n) @ (n, H) -> (1, H)
    sums_grad = delta @ weight2 * (1 - hidden * hidden)  # (n, 1) @ (1, H) -> (n, H)
    weight1_grad = sums_grad.T @ x  # (H, n) @ (n, 2) -> (H, 2)
    return [weight1_grad, sums_grad.sum(axis=0), weight2_grad, delta.sum(axis=0)]


# %% [markdown]
# Never trust a derivation before nudging every parameter (3.3). Here that is seventeen of them.

# %%
parameters = [rng.normal(size=parameter.shape) for parameter in initial(4, rng)]
gradients = backward(parameters, x, y, *forward(parameters, x))
nudge, largest, n_checked = 1e-6, 0.0, 0
for parameter, gradient in zip(parameters, gradients):
    for index in np.ndindex(parameter.shape):
        kept, ends = parameter[index], []
        for moved in (kept + nudge, kept - nudge):
            parameter[index] = moved
            ends.append(loss_of(forward(parameters, x)[1], y))
        parameter[index] = kept
        largest = max(largest, abs((ends[0] - ends[1]) / (2 * nudge) - gradient[index]))
        n_checked += 1
print(f"{n_checked} parameters, largest difference {largest:.1e}")
assert n_checked == 17 and largest < 1e-8

# %% [markdown]
# ## Training
#
# The loop is the one we have: forward, loss, gradient, update. All four points make one batch.


# %%
def train(parameters, x, y, n_steps, learning_rate):
    """Gradient descent in place on all points; returns the loss before each step."""
    losses = []
    for _ in range(n_steps):
        hidden, scores = forward(parameters, x)
        losses.append(loss_of(scores, y))
        for parameter, gradient in zip(parameters, backward(parameters, x, y, hidden, scores)):
            parameter -= learning_rate * gradient
    return losses


learning_rate = 1.0
parameters = initial(4, rng)
losses = train(parameters, x, y, n_steps, learning_rate)
for step in (0, 10, 100, 500, n_steps - 1):
    print(f"step {step:4d}   loss {losses[step]:.4f}")
scores = forward(parameters, x)[1]
margin = np.min(np.where(y == 1, scores, -scores))  # how far the nearest point is on its right side
for point, label, p in zip(x.astype(int), y, sigmoid(scores)):
    print(f"switches {point}   lamp {label}   probability of on {p:.4f}")
assert losses[-1] < 0.01 and margin > 3

# %% [markdown]
# All four right, with a margin. What has each hidden neuron learned? Its line, where its sum is zero, is
# black; red is $-1$ and blue $+1$. No neuron alone has the answer. The last neuron adds them up.

# %%
across, up = np.meshgrid(np.linspace(-0.4, 1.4, 91), np.linspace(-0.4, 1.4, 91))  # each (91, 91)
plane = np.stack([across.ravel(), up.ravel()], axis=1)  # (8281, 2)
style = {"color": "0.2", "markersize": 9, "linestyle": "none"}


def draw_points(ax, where=x):
    """The four points at places (4, 2): a triangle where the lamp is on, a hollow circle where it is off."""
    ax.plot(*where[y < 1].T, "o", fillstyle="none", label="off", **style)
    ax.plot(*where[y > 0].T, "^", label="on", **style)


fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
hidden = forward(parameters, plane)[0]  # (8281, 4)
for i, ax in enumerate(axes):
    values = hidden[:, i].reshape(across.shape)  # (91, 91)
    shades = ax.contourf(across, up, values, levels=np.linspace(-1, 1, 21), cmap="RdBu", alpha=0.6)
    ax.contour(across, up, values, levels=[0], colors="black")
    draw_points(ax)
    ax.set(xlabel="first switch", title=f"hidden neuron {i + 1}, weight {parameters[2][0, i]:+.1f}")
axes[0].set_ylabel("second switch")
axes[0].legend(loc="center")
fig.colorbar(shades, ax=axes, label="value of the neuron", ticks=(-1, 0, 1))
fig.suptitle("Each hidden neuron draws one line; none separates on from off")
plt.show()
for i in range(4):  # the title's claim, for either sign of the neuron
    assert np.sum((forward(parameters, x)[0][:, i] > 0) == y) in (1, 2, 3)

# %% [markdown]
# ## A hundred starts
#
# Was that luck? One run is an anecdote. We train a hundred networks from a hundred random starts, for
# several hidden sizes. The same, faster: give every parameter a leading axis, a *stack* of networks, and
# all of them take their steps in the same matrix products. `swapaxes(-1, -2)` transposes each. A second
# activation joins: *ReLU*, $\max(0, z)$, which most networks use today.

# %%
ACTIVATIONS = {
    "tanh": (np.tanh, lambda hidden: 1 - hidden * hidden),
    "relu": (lambda sums: np.maximum(sums, 0), lambda hidden: (hidden > 0) * 1.0),
}


def train_stack(parameters, x, y, n_steps, learning_rate, activation="tanh"):
    """Train S networks at once, in place; parameters have a leading axis S. Returns their scores (S, n)."""
    f, slope = ACTIVATIONS[activation]
    weight1, bias1, weight2, bias2 = parameters  # (S, H, 2), (S, H), (S, 1, H), (S, 1)
    for step in range(n_steps + 1):
        hidden = f(x @ weight1.swapaxes(-1, -2) + bias1[:, None])  # (n, 2) @ (S, 2, H) -> (S, n, H)
        # (S, n, H) @ (S, H, 1) -> (S, n, 1) -> (S, n)
        scores = (hidden @ weight2.swapaxes(-1, -2) + bias2[:, None])[..., 0]
        if step == n_steps:
            return scores
        delta = ((sigmoid(scores) - y) / len(y))[..., None]  # (S, n, 1)
        sums_grad = delta @ weight2 * slope(hidden)  # (S, n, 1) @ (S, 1, H) -> (S, n, H)
        weight2 -= learning_rate * (delta.swapaxes(-1, -2) @ hidden)  # (S, 1, n) @ (S, n, H) -> (S, 1, H)
        bias2 -= learning_rate * delta.sum(axis=1)
        weight1 -= learning_rate * (sums_grad.swapaxes(-1, -2) @ x)  # (S, H, n) @ (n, 2) -> (S, H, 2)
        bias1 -= learning_rate * sums_grad.sum(axis=1)


def stacked(networks):
    """A list of S parameter lists as one list with a leading axis S."""
    return [np.stack(group) for group in zip(*networks)]


singles = [initial(3, np.random.default_rng(seed)) for seed in range(5)]
together = train_stack(stacked(singles), x, y, 100, learning_rate)
for single in singles:
    train(single, x, y, 100, learning_rate)
np.testing.assert_allclose(together, [forward(single, x)[1] for single in singles], rtol=1e-10, atol=1e-12)

# %% [markdown]
# Now the census. A run succeeds when all four points are on their right side.

# %%
n_seeds, sizes = 100, (1, 2, 3, 4, 8)
success, stuck_losses, trained = {}, {}, {}
print(f"{'hidden neurons':20s}" + "".join(f"{size:>9d}" for size in sizes))
for activation in ACTIVATIONS:
    for size in sizes:
        networks = stacked([initial(size, np.random.default_rng(seed)) for seed in range(n_seeds)])
        scores = train_stack(networks, x, y, n_steps, learning_rate, activation)  # (S, 4)
        works = np.all((scores > 0) == y, axis=1)  # (S,)
        success[activation, size], trained[activation, size] = works.sum(), (networks, works)
        stuck_losses[activation, size] = np.mean(np.logaddexp(0, scores) - y * scores, axis=1)[~works]
    print(f"{activation:20s}" + "".join(f"{success[activation, size]:>9d}" for size in sizes) + "   of 100")
for activation in ACTIVATIONS:
    rates = [success[activation, size] for size in sizes]
    assert rates[0] == 0 and rates == sorted(rates) and rates[-1] > 75
assert success["tanh", 4] > 85 and 15 < success["tanh", 2] < 75

# %% [markdown]
# Two neurons are enough to *express* XOR, as our own hands showed, and yet training finds it in fewer than
# all runs. Spare neurons make finding it likely: one reason why networks are larger than they need to be.
#
# ## The fold
#
# With two hidden neurons, their values are coordinates of a new plane, and we can watch the old one being
# folded into it. The grey net is the square of the inputs, the black line is the last neuron's. We train
# the first start that worked once more and stop on the way.

# %%
networks, works = trained["tanh", 2]
good = np.flatnonzero(works)[0]
network, done, lines_right = initial(2, np.random.default_rng(good)), 0, []
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
along, ends = np.linspace(-0.4, 1.4, 100), np.array([-1.2, 1.2])
for ax, step in zip(axes, (0, 50, 100, n_steps)):
    train(network, x, y, step - done, learning_rate)
    done = step
    for fixed in np.linspace(-0.4, 1.4, 10):
        for path in ((along, np.full(100, fixed)), (np.full(100, fixed), along)):
            folded = forward(network, np.stack(path, axis=1))[0]  # (100, 2)
            ax.plot(*folded.T, color="0.8", linewidth=0.8, zorder=0)
    hidden, scores = forward(network, x)
    lines_right.append(np.sum((scores > 0) == y))
    draw_points(ax, hidden)
    (first, second), offset = network[2][0], network[3][0]
    ax.plot(ends, -(first * ends + offset) / second, color="black")
    ax.set(xlim=ends, ylim=ends, xlabel="hidden neuron 1", title=f"step {step}: {lines_right[-1]} right")
axes[0].set_ylabel("hidden neuron 2")
axes[0].legend(loc="upper left", fontsize=8)
fig.suptitle("The plane is folded until a line separates on from off")
plt.show()
assert lines_right[0] < 4 and lines_right[-1] == 4
assert (
    np.abs(hidden[y == 0][0] - hidden[y == 0][1]).max()
    < 0.3
    < np.abs(hidden[y == 1][0] - hidden[y == 1][1]).max()
)

# %% [markdown]
# In the end both "off" points lie at the fold and the two "on" points at its tips. And where do the failed
# runs end? A loss tells a lot when we know the yardsticks.

# %%
for size in (2, 3):
    for activation in ACTIVATIONS:
        levels, times = np.unique(np.round(stuck_losses[activation, size], 2), return_counts=True)
        ends = ", ".join(f"{count} at {level:.2f}" for level, count in zip(levels, times))
        print(f"{activation}, {size} hidden, failed runs: {ends}")
print(f"half of ln 2 is {math.log(2) / 2:.3f}, ln 2 is {math.log(2):.3f}")
print(f"seeds that fail with 4 tanh neurons: {np.flatnonzero(~trained['tanh', 4][1]).tolist()}")
assert np.mean(np.abs(stuck_losses["tanh", 2] - math.log(2) / 2) < 0.01) > 0.5

# %% [markdown]
# Most stuck tanh networks end at half of $\ln 2$: two points right with certainty, the other two answered
# with "one half". These two have been folded onto the same place, and what is in one place no last neuron
# can tell apart. ReLU has one more way to fail. A neuron that is zero at all points has no slope to come
# back by. If the others are above zero at all points, no neuron bends any more: what is left is the linear
# model, and its $\ln 2$.

# %%
(weight1, bias1, _, _), relu_works = trained["relu", 2]
relu_hidden = np.maximum(x @ weight1.swapaxes(-1, -2) + bias1[:, None], 0)  # (4, 2) @ (S, 2, H) -> (S, 4, H)
at_ln2 = np.abs(stuck_losses["relu", 2] - math.log(2)) < 0.005  # one for each failed run
alive = (relu_hidden[~relu_works][at_ln2] > 0).sum(axis=1)  # (m, 4, H) -> (m, H): at how many points
n_silent = np.sum(~alive.any(axis=1))
print(f"2 ReLU neurons, stuck at ln 2: {len(alive)} networks, both neurons zero in {n_silent} of them")
assert len(alive) > 0 and np.isin(alive, (0, 4)).all()  # at no point or at all four: no bend

# %% [markdown]
# One start that works and one that fails, side by side. Which two points stay undecided, and how far apart
# are they in the hidden plane?

# %%
bad = np.flatnonzero(~works)[0]
good_network, bad_network = ([parameter[i] for parameter in networks] for i in (good, bad))
bad_hidden, bad_scores = forward(bad_network, x)
undecided = np.flatnonzero(np.abs(bad_scores) < 0.5)
apart = np.abs(np.diff(bad_hidden[undecided], axis=0)).max()
print(f"seed {bad}, undecided points: {x[undecided].astype(int).tolist()}, hidden values {apart:.4f} apart")
assert len(undecided) == 2 and apart < 0.1

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
titles = ("A good start: two lines make a band", "A bad start: two points stay undecided")
for ax, chosen, title in zip(axes, (good_network, bad_network), titles):
    p = sigmoid(forward(chosen, plane)[1]).reshape(across.shape)  # (8281,) -> (91, 91)
    shades = ax.contourf(across, up, p, levels=np.linspace(0, 1, 21), cmap="RdBu", alpha=0.6)
    ax.contour(across, up, p, levels=[0.5], colors="black")
    draw_points(ax)
    ax.set(xlabel="first switch", title=title)
axes[0].set_ylabel("second switch")
fig.colorbar(shades, ax=axes, label="probability of on", ticks=(0, 0.5, 1))
plt.show()

# %% [markdown]
# ## The worst starts of all
#
# Start every weight at zero: no hidden value, no slope, no step; the network stays at $\ln 2$ for ever.
# Start them all equal: the hidden neurons get the same gradients and stay copies of each other, a network
# of one neuron in disguise. Random starts are there to make neurons different.

# %%
for value in (0.0, 0.7):
    equal = [np.full(parameter.shape, value * (parameter.ndim == 2)) for parameter in initial(4, rng)]
    equal_losses = train(equal, x, y, n_steps, learning_rate)
    distinct = len(np.unique(equal[0], axis=0))
    print(f"all weights {value}: loss {equal_losses[-1]:.4f}, {distinct} different hidden neuron")
    assert distinct == 1 and equal_losses[-1] > 0.3
    assert value or np.allclose(equal_losses, math.log(2))

# %% [markdown]
# ## With noise, and points held out
#
# Four points can be learned by heart. So shake them: each corner becomes a cloud of normal noise
# $\sigma$, and the clouds overlap. The best anyone can do is to name the nearest corner. With $\Phi(z)$
# the area under the normal curve (2.8) left of $z$, a coordinate stays on its side of the middle with
# probability $q = \Phi(\frac{1}{2\sigma})$, and the answer is right when both do or neither does:
# $q^2 + (1 - q)^2$.


# %%
def noisy_xor(n, sigma, rng):
    """n points (n, 2), corners drawn at random plus normal noise, and the corners' labels (n,)."""
    corners = rng.integers(4, size=n)
    return x[corners] + rng.normal(scale=sigma, size=(n, 2)), y[corners]


sigma, n_train, n_test = 0.25, 400, 4000
x_train, y_train = noisy_xor(n_train, sigma, rng)
x_test, y_test = noisy_xor(n_test, sigma, rng)
q = (1 + math.erf(1 / (2 * sigma) / math.sqrt(2))) / 2
best_possible = q * q + (1 - q) * (1 - q)
nearest_corner = np.mean((np.round(x_test).clip(0, 1).sum(axis=1) == 1) == y_test)
print(f"best possible {best_possible:.1%}, nearest corner {nearest_corner:.1%} of held-out points")
assert abs(nearest_corner - best_possible) < 4 * np.sqrt(best_possible * (1 - best_possible) / n_test)

# %%
noisy_parameters = initial(8, rng)
noisy_losses = train(noisy_parameters, x_train, y_train, n_steps, learning_rate)
train_accuracy = np.mean((forward(noisy_parameters, x_train)[1] > 0) == y_train)
test_accuracy = np.mean((forward(noisy_parameters, x_test)[1] > 0) == y_test)
design = np.column_stack([x_train, np.ones(n_train)])  # (n_train, 3)
line = np.zeros(3)
for _ in range(500):
    line -= design.T @ (sigmoid(design @ line) - y_train) / n_train  # (3, n) @ (n,) -> (3,)
line_accuracy = np.mean((x_test @ line[:2] + line[2] > 0) == y_test)  # (n, 2) @ (2,) -> (n,)
print(f"network: training {train_accuracy:.1%}, held out {test_accuracy:.1%}; a line: {line_accuracy:.1%}")
assert test_accuracy < train_accuracy
assert best_possible - 0.04 < test_accuracy < best_possible + 0.015 and line_accuracy < 0.7

# %% [markdown]
# On its training points the network scores higher than on others: part of what it learned is their noise.
# It may even pass the best possible there, which is an average over all points that could be drawn.
# Held-out points say what it is worth.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.axhline(math.log(2), color="0.7", linewidth=0.8, zorder=0)
left.text(n_steps, math.log(2) + 0.01, "ln 2", color="0.4", ha="right")
left.plot(linear_losses, "--", color="C0", label="a line, four points")
left.plot(losses, color="C1", label="network, four points")
left.plot(noisy_losses, ":", color="C2", linewidth=2, label="network, noisy points")
left.set(xlabel="step", ylabel="loss (nats)", title="A line ends at ln 2, the network does not", ylim=0)
left.legend()
wide_across, wide_up = np.meshgrid(np.linspace(-1, 2, 121), np.linspace(-1, 2, 121))  # each (121, 121)
everywhere = np.stack([wide_across.ravel(), wide_up.ravel()], axis=1)  # (14641, 2)
p = sigmoid(forward(noisy_parameters, everywhere)[1]).reshape(wide_across.shape)  # (14641,) -> (121, 121)
right.contourf(wide_across, wide_up, p, levels=np.linspace(0, 1, 21), cmap="RdBu", alpha=0.6)
right.contour(wide_across, wide_up, p, levels=[0.5], colors="black")
for label, marker in ((0, "o"), (1, "^")):
    chosen = x_test[:400][y_test[:400] == label]
    right.plot(*chosen.T, marker, color="0.2", fillstyle="none", markersize=3, linestyle="none")
right.set(xlabel="first switch", ylabel="second switch", title="Held-out points: near the best possible")
plt.show()

# %% [markdown]
# ## What to remember
#
# - No line separates XOR: the demands add up to a contradiction. The best line gets three points, and
#   training one ends at $\ln 2$.
# - A hidden layer makes new coordinates in which a line is enough.
# - The backward pass is the forward pass read from the end: the same matrices, transposed.
# - Training a hidden layer can fail from a bad start. Random, different weights and spare neurons make
#   that rare, and only counting over seeds shows how rare.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Call the switches $-1$ and $+1$ instead of 0 and 1. What happens to the success rate with two hidden
#    neurons?
# 2. Give the failed networks ten times the steps. How many get free? Which three points share one place
#    when the loss is 0.48?
# 3. Take away the tanh. What is a network of two linear layers, and how many points does it get right?
#
# ## Sources
#
# - M. Minsky, S. Papert, *Perceptrons*, 1969, chapter 2: what one layer cannot compute.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
#   propagation", in *Parallel Distributed Processing* 1, 1986: XOR learned with a hidden layer, and stuck
#   runs.
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, section 6.1: XOR as a first network.
