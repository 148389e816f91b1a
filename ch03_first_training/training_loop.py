# %% [markdown]
# # 3.3 The training loop: four steps, again and again
#
# A shower is too cold. You turn the tap, feel the water, notice which way it is wrong and by how much, and
# turn again, less each time. Nobody computes the right angle of the tap. Training a model is this, with
# more taps than hands: all of them are turned at once, each by its own share of the blame.
#
# **You will build** the loop that trains every network in this course, first for two species of penguin
# and then for three. **You need** a scaled data set and mini-batches (3.1), cross-entropy (3.2) and
# gradient descent (2.5).

# %%
import csv
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One bird with $x = 1$ and label $y = 1$, one weight $w = 0$, one bias $b = 0$, learning rate 1.
# *Forward*: the score is 0, the probability $\frac12$. *Loss*: $\ln 2$. *Gradient*: along the score it is
# $p - y = -\frac12$ (lesson 3.2); the score grows with $w$ as fast as $x$ and with $b$ as fast as 1, so
# along both it is $-\frac12$. *Update*: $w = b = \frac12$. The new score is 1, and the loss is $\ln(1 +
# e^{-1})$.

# %%
w, b, x, y, learning_rate = 0.0, 0.0, 1.0, 1.0, 1.0
for _ in range(2):
    score = w * x + b  # forward
    loss = np.log(1 + np.exp(score)) - y * score  # loss
    slope = 1 / (1 + np.exp(-score)) - y  # gradient
    print(f"w {w:.3f}   b {b:.3f}   score {score:.3f}   loss {loss:.4f}   slope {slope:.3f}")
    w, b = w - learning_rate * slope * x, b - learning_rate * slope  # update
np.testing.assert_allclose(loss, np.log(1 + np.exp(-1)))

# %% [markdown]
# ## The birds
#
# Bill and flipper length, which can be drawn, and all three species. The birds are shuffled, and scaled by
# the training birds' mean and spread; the rest is held out.

# %%
COLUMNS = ("bill_length_mm", "flipper_length_mm")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

n_train, order = 240, rng.permutation(len(labels))
measurements, labels = measurements[order], labels[order]
center, spread = measurements[:n_train].mean(axis=0), measurements[:n_train].std(axis=0)  # each (2,)
inputs = (measurements - center) / spread  # (n, 2)
x_train, y_train, x_test, y_test = inputs[:n_train], labels[:n_train], inputs[n_train:], labels[n_train:]
print(f"{n_train} birds to train on, {len(labels) - n_train} held out")

# %% [markdown]
# ## Two species, bird by bird
#
# Begin with Adélie (0) and chinstrap (1). Two measurements need two weights: $s = w_1 x_1 + w_2 x_2 + b$.
# This model is called *logistic regression*. The loss is the mean over birds, so its gradient is the mean
# of what each bird asks for:
#
# $$\frac{\partial L}{\partial w_j} = \frac1n \sum_i (p_i - y_i)\, x_{ij}, \qquad
#   \frac{\partial L}{\partial b} = \frac1n \sum_i (p_i - y_i), \qquad p_i = \frac{1}{1 + e^{-s_i}} .$$


# %%
def logistic_loops(w, b, x, y):
    """Loss (nats), gradient along w (D,) and along b of logistic regression, one bird after the other.

    x: (n, D) measurements, y: (n,) labels 0 or 1.
    """
    loss, w_grad, b_grad = 0.0, np.zeros(len(w)), 0.0
    for bird, label in zip(x, y, strict=True):
        score = sum(w[j] * bird[j] for j in range(len(w))) + b
        p = 1 / (1 + np.exp(-score))
        loss += (np.log(1 + np.exp(score)) - label * score) / len(x)
        for j in range(len(w)):
            w_grad[j] += (p - label) * bird[j] / len(x)
        b_grad += (p - label) / len(x)
    return loss, w_grad, b_grad


two_species = y_train < 2
x, y = x_train[two_species], y_train[two_species]  # (n, 2), (n,)
w, b = rng.normal(size=2), 0.3
loss, w_grad, b_grad = logistic_loops(w, b, x, y)
print(f"loss {loss:.4f}   along w {w_grad}   along b {b_grad:.4f}")

# %% [markdown]
# A gradient is a claim about slopes, so measure the slopes: nudge each number both ways (2.3). This check
# costs a few lines and finds nearly every mistake in a derivation.


# %%
def nudged_slope(f, parameter, nudge=1e-6):
    """Central differences of f() along each entry of the array `parameter`, which is restored."""
    slopes = np.zeros(parameter.shape)
    for index in np.ndindex(parameter.shape):
        kept = parameter[index]
        parameter[index] = kept + nudge
        above = f()
        parameter[index] = kept - nudge
        slopes[index] = (above - f()) / (2 * nudge)
        parameter[index] = kept
    return slopes


bias = np.array([b])  # (1,): an array, so that it can be nudged in place
np.testing.assert_allclose(w_grad, nudged_slope(lambda: logistic_loops(w, b, x, y)[0], w), atol=1e-9)
np.testing.assert_allclose(
    b_grad, nudged_slope(lambda: logistic_loops(w, bias[0], x, y)[0], bias)[0], atol=1e-9
)

# %% [markdown]
# ## The same, faster
#
# The loops over birds and measurements are matrix products (2.2): $s = Xw + b$, and the sum over birds is
# $X^\top (p - y)$. Stable forms come from lesson 3.2.


# %%
def sigmoid(score):
    """1 / (1 + exp(-score)) without overflow."""
    small = np.exp(-np.abs(score))
    return np.where(score >= 0, 1, small) / (1 + small)


def logistic(w, b, x, y):
    """As `logistic_loops`, with matrix products. Raises ValueError where x (n, D) and y (n,) do not match."""
    if y.shape != x.shape[:1]:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    scores = x @ w + b  # (n, D) @ (D,) -> (n,)
    loss = np.mean(np.logaddexp(0, scores) - y * scores)
    error = (sigmoid(scores) - y) / len(y)  # (n,)
    return loss, x.T @ error, error.sum()  # (D, n) @ (n,) -> (D,)


for ours, theirs in zip(logistic(w, b, x, y), logistic_loops(w, b, x, y), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The loop, printing itself at work
#
# Forward, loss, gradient, update. We watch one bird, the chinstrap with the longest bill, through the
# first steps. Each update moves the weights against the gradient, and the bird's probability goes where it
# should.

# %%
w, b, learning_rate = np.zeros(2), 0.0, 1.0
watched = np.flatnonzero(y == 1)[x[y == 1, 0].argmax()]
for step in range(3):
    p = sigmoid(x[watched] @ w + b)  # (2,) @ (2,) -> ()
    loss, w_grad, b_grad = logistic(w, b, x, y)
    print(f"step {step}")
    print(f"   forward    the watched chinstrap is one with probability {p:.3f}")
    print(f"   loss       {loss:.4f} nats")
    print(f"   gradient   along w {np.round(w_grad, 3)}, along b {b_grad:.3f}")
    w, b = w - learning_rate * w_grad, b - learning_rate * b_grad
    print(f"   update     w {np.round(w, 3)}, b {b:.3f}")
assert np.isclose(logistic(np.zeros(2), 0.0, x, y)[0], np.log(2))  # zero weights are the blind guesser
assert sigmoid(x[watched] @ w + b) > 0.5  # (2,) @ (2,) -> ()

# %% [markdown]
# Without the printing, it fits in four lines, and runs for longer.

# %%
n_steps, losses = 2000, []
for _ in range(n_steps):
    loss, w_grad, b_grad = logistic(w, b, x, y)
    w, b = w - learning_rate * w_grad, b - learning_rate * b_grad
    losses.append(loss)
two_species_accuracy = np.mean((x @ w + b > 0) == y)  # (n, 2) @ (2,) -> (n,)
print(f"loss {losses[-1]:.4f}, accuracy on the training birds {two_species_accuracy:.1%}")
assert np.all(np.diff(losses) < 0) and losses[-1] < 0.2 and two_species_accuracy > 0.9

# %% [markdown]
# ## Three species
#
# Give each class its own weights and its own score: $z_k = w_k \cdot x + b_k$. *Softmax* turns the scores
# into probabilities: raise $e$ to each, and divide by the sum,
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}} .$$
#
# On paper: scores $\ln 1, \ln 2, \ln 5$ become $1, 2, 5$, and the probabilities $\frac18, \frac28,
# \frac58$. Adding a constant to all scores changes nothing, so we subtract the largest and cannot
# overflow.


# %%
def softmax(logits):
    """Probabilities along the last axis of scores of any size; logits: (..., K)."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


print(softmax(np.log([1.0, 2.0, 5.0])), softmax(np.array([0.0, 1e4, -1e4])))
np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [1 / 8, 2 / 8, 5 / 8])

# %% [markdown]
# Such scores are called *logits*. The loss is the surprise at the true class $y$, and its slope along the
# logits has the form we know, probability minus truth:
#
# $$\ell = -\ln p_y = \ln \sum_k e^{z_k} - z_y, \qquad
#   \frac{\partial \ell}{\partial z_k} = \frac{e^{z_k}}{\sum_j e^{z_j}} - [k = y] = p_k - [k = y] .$$
#
# Here $[k = y]$ is one for the true class and zero for the others: the one-hot label. For a batch of $B$
# birds the logits are $Z = X W^\top + b$, a row of $W$ for each class. With their probabilities $P$ and
# the one-hot labels $Y$, a row a bird, the rest is one matrix product:
#
# $$\frac{\partial L}{\partial W} = \frac1B (P - Y)^\top X, \qquad
#   \frac{\partial L}{\partial b} = \frac1B \sum_i (P - Y)_i .$$


# %%
def softmax_regression(weight, bias, x, y):
    """Loss (nats), gradient along weight (K, D) and along bias (K,) of softmax regression on one batch.

    x: (B, D), y: (B,) class indices. Raises ValueError where they do not match or an index is negative.
    """
    if y.shape != x.shape[:1]:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    if y.min() < 0:  # NumPy refuses an index that is too large, and counts a negative one from the end
        raise ValueError(f"labels must not be negative, got {y.min()}")
    rows = np.arange(len(y))
    logits = x @ weight.T + bias  # (B, D) @ (D, K) -> (B, K)
    logits -= logits.max(axis=1, keepdims=True)
    raised = np.exp(logits)  # (B, K)
    total = raised.sum(axis=1, keepdims=True)  # (B, 1)
    loss = np.mean(np.log(total[:, 0]) - logits[rows, y])
    error = raised / total  # (B, K): probabilities
    error[rows, y] -= 1  # minus one-hot
    error /= len(y)
    return loss, error.T @ x, error.sum(axis=0)  # (K, B) @ (B, D) -> (K, D)


weight, bias = rng.normal(size=(3, 2)), rng.normal(size=3)
loss, weight_grad, bias_grad = softmax_regression(weight, bias, x_train, y_train)
probabilities = softmax(x_train @ weight.T + bias)  # (n, 2) @ (2, 3) -> (n, 3)
expected_loss = -np.mean(np.log(probabilities[np.arange(n_train), y_train]))
np.testing.assert_allclose(loss, expected_loss, rtol=1e-10)
for grad, parameter in ((weight_grad, weight), (bias_grad, bias)):
    slopes = nudged_slope(lambda: softmax_regression(weight, bias, x_train, y_train)[0], parameter)
    print(f"largest difference from the nudged slope: {np.abs(grad - slopes).max():.1e}")
    np.testing.assert_allclose(grad, slopes, atol=1e-8)

# %% [markdown]
# Nothing was wasted on two species: softmax with two classes is the sigmoid of the difference of their
# scores. With the same numbers in both models, loss and gradient agree.

# %%
pair = np.stack([np.zeros(2), w])  # (2, 2): class 0 has no weights, class 1 those of logistic regression
pair_loss, pair_grad, _ = softmax_regression(pair, np.array([0.0, b]), x, y)
one_loss, one_grad, _ = logistic(w, b, x, y)
np.testing.assert_allclose(pair_loss, one_loss, rtol=1e-10)
np.testing.assert_allclose(pair_grad, np.stack([-one_grad, one_grad]), rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## How good can it get?
#
# The loss of this model is convex (3.2): there is one lowest value. Take all birds at every step until no
# slope is left, and we know what every other way of training is to be measured by. This is affordable for
# a few hundred birds and nine parameters, and for nothing else in this course.

# %%
weight, bias, learning_rate = np.zeros((3, 2)), np.zeros(3), 2.0
steepest, optimum_steps = np.inf, 0
while steepest > 1e-7 and optimum_steps < 50_000:
    optimum, weight_grad, bias_grad = softmax_regression(weight, bias, x_train, y_train)
    steepest = max(np.abs(weight_grad).max(), np.abs(bias_grad).max())
    weight -= learning_rate * weight_grad
    bias -= learning_rate * bias_grad
    optimum_steps += 1
best_weight, best_bias = weight, bias
print(f"the optimum is {optimum:.5f} nats, reached after {optimum_steps:,} steps")
assert steepest <= 1e-7 and 0.05 < optimum < 0.2

# %% [markdown]
# ## Epochs, batches, learning rate
#
# A step does not need all birds. A *mini-batch*, a handful dealt at random, points roughly the same way
# for a fraction of the work (3.1). One pass through all handfuls is an *epoch*. The *learning rate* says
# how far to go in each step. These three, and nothing else, are what we choose.


# %%
def training_step(weight, bias, x, y, learning_rate):
    """One step of gradient descent on one batch, in place; returns the loss before it."""
    loss, weight_grad, bias_grad = softmax_regression(weight, bias, x, y)
    weight -= learning_rate * weight_grad
    bias -= learning_rate * bias_grad
    return loss


def train(batch_size, learning_rate, n_epochs, rng):
    """Softmax regression from zero weights on the training birds.

    Returns weight, bias, the loss on all training birds before each epoch and after the last, and copies
    of weight and bias after each step.
    """
    weight, bias = np.zeros((3, 2)), np.zeros(3)
    losses, snapshots = [np.log(3)], [(weight.copy(), bias.copy())]
    for _ in range(n_epochs):
        order = rng.permutation(n_train)
        for start in range(0, n_train, batch_size):
            batch = order[start : start + batch_size]
            training_step(weight, bias, x_train[batch], y_train[batch], learning_rate)
            snapshots.append((weight.copy(), bias.copy()))
        losses.append(softmax_regression(weight, bias, x_train, y_train)[0])
    return weight, bias, losses, snapshots


n_epochs = 30
weight, bias, losses, snapshots = train(16, 0.5, n_epochs, rng)
for epoch in range(0, n_epochs + 1, 5):
    print(f"epoch {epoch:2d}   loss {losses[epoch]:.4f}   above the optimum {losses[epoch] - optimum:.4f}")
margin = 0.02
assert 0 <= losses[-1] - optimum < margin

# %% [markdown]
# Near enough: within the margin of the best that this model can do. And the birds it has never seen?

# %%
train_accuracy = np.mean((x_train @ weight.T + bias).argmax(axis=1) == y_train)  # (n, 2) @ (2, 3) -> (n, 3)
test_accuracy = np.mean((x_test @ weight.T + bias).argmax(axis=1) == y_test)  # (n, 2) @ (2, 3) -> (n, 3)
always = np.bincount(y_train).argmax()
print(f"accuracy: training {train_accuracy:.1%}, held out {test_accuracy:.1%}")
print(f"always {SPECIES[always]}: {np.mean(y_test == always):.1%}")
assert test_accuracy > 0.9 > 0.6 > np.mean(y_test == always)

# %% [markdown]
# ## Watching the boundary move
#
# Where the largest score changes from one class to another lies the *decision boundary*. The model began
# with no opinion. How many birds are on the wrong side after each of these steps?

# %%
grid_x, grid_y = np.meshgrid(np.linspace(-2.5, 3.2, 300), np.linspace(-2.5, 2.5, 300))  # each (300, 300)
grid = np.stack([grid_x, grid_y], axis=-1)  # (300, 300, 2)
shown = (1, 5, 30, len(snapshots) - 1)
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
wrong = []
for ax, step in zip(axes, shown):
    step_weight, step_bias = snapshots[step]
    region = (grid @ step_weight.T + step_bias).argmax(axis=-1)  # (300, 300, 2) @ (2, 3) -> (300, 300)
    answers = (x_train @ step_weight.T + step_bias).argmax(axis=1)  # (n, 2) @ (2, 3) -> (n, 3) -> (n,)
    wrong.append(np.sum(answers != y_train))
    mm_x, mm_y = center[0] + spread[0] * grid_x, center[1] + spread[1] * grid_y
    ax.contourf(mm_x, mm_y, region, levels=(-0.5, 0.5, 1.5, 2.5), cmap="RdBu", alpha=0.5)
    ax.contour(mm_x, mm_y, region, levels=(0.5, 1.5), colors="black", linewidths=1)
    for label, (name, marker) in enumerate((("Adélie", "o"), ("chinstrap", "^"), ("gentoo", "s"))):
        chosen = measurements[:n_train][y_train == label]
        # (m, 2) -> (2, m)
        ax.plot(*chosen.T, marker, color="0.2", markersize=3, fillstyle="none", label=name)
    ax.set(xlabel="bill length (mm)", title=f"step {step}: {wrong[-1]} wrong")
axes[0].set_ylabel("flipper length (mm)")
axes[0].legend(loc="upper left", fontsize=7)
fig.suptitle("A few steps place the boundaries, the others adjust them")
plt.show()
assert wrong[2] < 0.15 * n_train and wrong[-1] < 0.1 * n_train  # against two thirds for a guesser

# %% [markdown]
# ## How far, how many at a time?
#
# Left: the same learning rate, different batch sizes. In one epoch a small batch takes more steps. Right:
# the same batch size, different learning rates. All curves show how far the loss of all training birds is
# above the optimum; the seed of the shuffling is the same.

# %%
by_batch = {size: train(size, 0.1, n_epochs, np.random.default_rng(0))[2] for size in (1, 16, n_train)}
by_rate = {rate: train(16, rate, n_epochs, np.random.default_rng(0))[2] for rate in (0.01, 0.5, 20.0)}
for size, curve in by_batch.items():
    print(f"batch size {size:4d}        ends {curve[-1] - optimum:.4f} above the optimum")
for rate, curve in by_rate.items():
    print(f"learning rate {rate:5.2f}    ends {curve[-1] - optimum:.4f} above the optimum")
assert by_batch[1][-1] < by_batch[16][-1] < by_batch[n_train][-1]
assert 2 * (by_rate[0.5][-1] - optimum) < min(by_rate[0.01][-1], by_rate[20.0][-1]) - optimum

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for (size, curve), style in zip(by_batch.items(), ("-", "--", "-.")):
    left.semilogy(np.array(curve) - optimum, style, label=f"batch size {size}")
for (rate, curve), style in zip(by_rate.items(), ("-.", "-", ":")):
    right.semilogy(np.array(curve) - optimum, style, label=f"learning rate {rate:g}")
left.set(
    xlabel="epoch",
    ylabel="loss above the optimum (nats)",
    title="In as many epochs, small batches get further",
)
right.set(xlabel="epoch", title="Too small crawls, too large jumps about")
for ax in (left, right):
    ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What a batch costs
#
# Then why not always one bird at a time? Because a step has a fixed price, here Python's and NumPy's, that
# is paid once for the whole batch. We repeat the birds to fill large batches and time single steps. Your
# times will differ; their shape will not.

# %%
batch_sizes, n_rounds = 4 ** np.arange(7), 60
many_x, many_y = np.resize(x_train, (4096, 2)), np.resize(y_train, 4096)  # the birds over and over
laps = np.zeros((n_rounds, len(batch_sizes)))  # all sizes in every round: a busy moment hits all alike
for lap in laps:
    for i, size in enumerate(batch_sizes):
        started = time.perf_counter()
        training_step(best_weight.copy(), best_bias.copy(), many_x[:size], many_y[:size], 0.0)
        lap[i] = time.perf_counter() - started
step_times = np.median(laps, axis=0)  # (7,) seconds
examples_per_second = batch_sizes / step_times
print(f"{'batch size':20s}{'µs a step':>12s}{'examples/s':>12s}")
for size, seconds, rate in zip(batch_sizes, step_times, examples_per_second):
    print(f"{size:<20d}{1e6 * seconds:12.1f}{rate:12.3g}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(batch_sizes, 1e6 * step_times, "o-", color="C0")
left.set(
    xlabel="batch size",
    ylabel="time of a step (µs)",
    title="A small step costs as much as a medium one",
    ylim=1,
)
right.loglog(batch_sizes, examples_per_second, "o-", color="C0")
right.set(xlabel="batch size", ylabel="examples a second", title="Large batches share the fixed price")
for ax in (left, right):
    ax.set_xticks(batch_sizes, batch_sizes)
    ax.minorticks_off()
plt.show()

# %% [markdown]
# So there are two forces. Small batches learn more from every example, large ones get through more
# examples a second. The usual choice lies between: as large as is nearly free, which is larger on a GPU, a
# graphics card (4.5), than here.
#
# ## What to remember
#
# - Forward, loss, gradient, update. Everything later in this course changes what stands inside these four
#   steps, not the steps.
# - The gradient along the logits is probability minus truth, and it is trusted after nudging agrees.
# - An epoch deals every example once, a batch is what one step sees, the learning rate is how far it goes.
# - Judge a training run by a known yardstick: the guesser's loss above, the optimum below.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. In a cell of your own, run the loop of four lines on raw millimetres: replace `x` by
#    `measurements[:n_train][two_species]`, and start from zeros. What must the learning rate become, and
#    why does the training take so long?
# 2. Halve the learning rate after every fifth epoch. How near to the optimum does batch size 16 get?
# 3. Start from random weights instead of zeros, several times. Do the runs end at the same loss?
#
# ## Sources
#
# - H. Robbins, S. Monro, "A stochastic approximation method", *Annals of Mathematical Statistics* 22,
#   1951: descent on noisy slopes.
# - D. R. Cox, "The regression analysis of binary sequences", *Journal of the Royal Statistical Society B*
#   20, 1958: logistic regression.
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, sections 4.3.2 and 4.3.4: both
#   gradients.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
