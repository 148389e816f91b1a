# %% [markdown]
# # 3.3 The training loop: four steps, again and again
#
# To tune a guitar string you pluck it, hear how far the tone is off, work out which way to turn the peg,
# turn it a little, and pluck again. Training a model is the same loop with all pegs turned at
# once. Every network of this course is trained by it, and so are the largest models in use: only what
# stands inside the steps becomes more complicated.
#
# How does a model get from knowing nothing to good answers? **You will
# build** the four steps _forward_, _loss_, _gradient_ and _update_, first for one bird, then for all, and
# then for a few birds at a time. **You need** a split, standardised data set (3.1), cross-entropy and its
# slope (3.2), matrix products (2.2), and gradient descent (2.5).

# %%
import csv
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One bird has the standardised bill $x = 1$ and the label $y = 1$. The model is $z = w x + b$ with
# $p = \sigma(z)$ as in lesson 3.2, and it begins with $w = b = 0$. The learning rate is $\eta = 1$. For the
# gradient we use $\partial \ell / \partial z = p - y$ (3.2). The score grows $x$ times as fast as $w$ and
# exactly as fast as $b$, so by the chain rule these factors are multiplied in.
#
# $$\begin{aligned}
#   \text{forward} \quad z &= w x + b = 0, \qquad p = \sigma(0) = \tfrac12 \\
#   \text{loss} \quad \ell &= -\ln p = \ln 2 \approx 0.69 \\
#   \text{gradient} \quad \frac{\partial \ell}{\partial z} &= p - y = -\tfrac12, \qquad
#     \frac{\partial \ell}{\partial w} = -\tfrac12 \cdot x = -\tfrac12, \qquad
#     \frac{\partial \ell}{\partial b} = -\tfrac12 \cdot 1 = -\tfrac12 \\
#   \text{update} \quad w &\leftarrow w - \eta \frac{\partial \ell}{\partial w} = \tfrac12, \qquad
#     b \leftarrow b - \eta \frac{\partial \ell}{\partial b} = \tfrac12
# \end{aligned}$$
#
# With the new parameters the score is $1$, the probability $0.73$ and the loss $0.31$, so the step has
# helped. In code the four steps are these lines, and the loop goes through them twice:

# %%
bill = 1.0
truth = 1.0
rate = 1.0
one_w = 0.0
one_b = 0.0
for _ in range(2):
    score = one_w * bill + one_b  # forward
    one_loss = np.log(1 + np.exp(score)) - truth * score  # loss
    grad_score = 1 / (1 + np.exp(-score)) - truth  # gradient: probability minus truth
    print(f"w {one_w:.3f}   b {one_b:.3f}   loss {one_loss:.4f}   probability minus truth {grad_score:.3f}")
    one_w = one_w - rate * grad_score * bill  # update
    one_b = one_b - rate * grad_score
np.testing.assert_allclose(one_loss, np.log(1 + np.exp(-1)))

# %% [markdown]
# ## The birds
#
# We take the length of the bill and of the flipper, and two species, Adélie (0) and chinstrap (1). (All
# three come back at the end.) Seven birds of ten are for training, the others are for validation. The split
# is stratified, which means class by class, and the scale is that of the training birds (3.1).

# %%
COLUMNS = ("bill_length_mm", "flipper_length_mm")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)


def split_and_scale(measurements, labels, rng):
    """Standardised x and labels y of 70 % of each class, the same of the rest, and center and spread."""
    train = []
    validation = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n_train = round(0.7 * len(members))
        train.extend(members[:n_train])
        validation.extend(members[n_train:])
    center = measurements[train].mean(axis=0)  # (2,)
    spread = measurements[train].std(axis=0)  # (2,)
    x = (measurements - center) / spread  # (n, 2)
    return x[train], labels[train], x[validation], labels[validation], center, spread


two_species = labels < 2
two_measurements, two_labels = measurements[two_species], labels[two_species]
x_train, y_train, x_validation, y_validation, center, spread = split_and_scale(
    two_measurements, two_labels, rng
)
print(f"{len(y_train)} birds to train on, {len(y_validation)} to validate")

# %% [markdown]
# ## From one bird to all
#
# Two features need two weights, $z = w_1 x_1 + w_2 x_2 + b = w \cdot x + b$, and this model is called
# *logistic regression*. The loss of a set of birds is the mean of their losses. The gradient of a mean is
# the mean of the gradients (2.4), so each bird says what it would like, and the average is taken:
#
# $$\frac{\partial L}{\partial w_j} = \frac1n \sum_{i=1}^n (p_i - y_i)\, x_{ij}, \qquad
#   \frac{\partial L}{\partial b} = \frac1n \sum_{i=1}^n (p_i - y_i) .$$
#
# The first function follows the formula bird by bird.


# %%
def logistic_loops(w, b, x, y):
    """Loss (nats), gradient along w (D,) and along b of logistic regression, one bird after the other.

    x: (n, D) measurements, y: (n,) labels 0 or 1.
    """
    loss = 0.0
    grad_w = np.zeros(len(w))
    grad_b = 0.0
    for bird, label in zip(x, y, strict=True):
        z = sum(w[j] * bird[j] for j in range(len(w))) + b  # forward
        p = 1 / (1 + np.exp(-z))
        loss += (np.log(1 + np.exp(z)) - label * z) / len(x)  # loss
        for j in range(len(w)):  # gradient
            grad_w[j] += (p - label) * bird[j] / len(x)
        grad_b += (p - label) / len(x)
    return loss, grad_w, grad_b


# %% [markdown]
# All birds can take each step together. The scores are a matrix product, $Xw + b$, with one row of $X$ for
# each bird. The numbers $(p_i - y_i)/n$ form a vector with one entry for each bird, the gradient along
# the scores (`grad_z` in the code). The formula multiplies each of these numbers by the row of $X$ of its
# bird and adds up the rows, and that is the matrix product of $X^\top$ with the vector.


# %%
def sigmoid(scores):
    """1 / (1 + exp(-scores)) without overflow (3.2)."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1, small) / (1 + small)


def logistic_loss(w, b, x, y):
    """Mean cross-entropy (nats) of logistic regression on x (n, D), y (n,)."""
    z = x @ w + b  # (n, D) @ (D,) -> (n,)
    return np.mean(np.logaddexp(0, z) - y * z)


def logistic(w, b, x, y):
    """As `logistic_loops`, for all birds at once and without overflow.

    Raises ValueError if x (n, D) and y (n,) do not match, or if there are no birds.
    """
    if y.shape != x.shape[:1] or len(y) == 0:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    z = x @ w + b  # forward: (n, D) @ (D,) -> (n,)
    y = y.astype(z.dtype)  # labels as floats of the same kind as the scores
    loss = np.mean(np.logaddexp(0, z) - y * z)  # loss
    grad_z = (sigmoid(z) - y) / len(y)  # gradient: (n,)
    return loss, x.T @ grad_z, grad_z.sum()  # (D, n) @ (n,) -> (D,)


# %% [markdown]
# A gradient is a claim about slopes, so we measure the slopes: nudge each number both ways (2.3), and
# compare. This check costs a few lines and finds nearly every mistake in a derivation.


# %%
def nudged_slope(f, parameter, nudge=1e-6):
    """Central differences of f() along each entry of the array `parameter`, which is restored.

    Raises ValueError for an array of whole numbers, which cannot be nudged.
    """
    if not np.issubdtype(parameter.dtype, np.floating):
        raise ValueError(f"a parameter must be an array of floats, got {parameter.dtype}")
    slopes = np.zeros(parameter.shape)
    for index in np.ndindex(parameter.shape):
        original = parameter[index]
        parameter[index] = original + nudge
        above = f()
        parameter[index] = original - nudge
        slopes[index] = (above - f()) / (2 * nudge)
        parameter[index] = original
    return slopes


some_w = rng.normal(size=2)
some_b = np.array([0.3])  # (1,): an array, so that it can be nudged in place
_, grad_w, grad_b = logistic(some_w, some_b[0], x_train, y_train)
measured_w = nudged_slope(lambda: logistic_loss(some_w, some_b[0], x_train, y_train), some_w)
measured_b = nudged_slope(lambda: logistic_loss(some_w, some_b[0], x_train, y_train), some_b)
print(f"along w: by formula {grad_w.round(6)}, measured {measured_w.round(6)}")
print(f"along b: by formula {grad_b:.6f}, measured {measured_b[0]:.6f}")
np.testing.assert_allclose(grad_w, measured_w, atol=1e-9)
np.testing.assert_allclose(grad_b, measured_b[0], atol=1e-9)
for ours, by_loops in zip(
    logistic(some_w, 0.3, x_train, y_train), logistic_loops(some_w, 0.3, x_train, y_train), strict=True
):
    np.testing.assert_allclose(ours, by_loops, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Formula and measurement agree, and so do the two functions.
#
# ## The loop at work
#
# All is ready for the loop. We start from zeros, so the first loss can be predicted, because the model
# then gives every bird the probability $\frac12$. During the first three steps we watch one bird, the
# training chinstrap with the longest bill. Then the loop runs on without printing, and we keep the loss
# on the training birds and on the validation birds at every step.

# %%
learning_rate = 1.0
n_steps = 300
w = np.zeros(2)
b = 0.0
models = [(w, b)]  # the parameters before each step, and after the last
watched = np.flatnonzero(y_train == 1)[x_train[y_train == 1, 0].argmax()]
for step in range(n_steps):
    loss, grad_w, grad_b = logistic(w, b, x_train, y_train)  # forward, loss, gradient
    if step < 3:
        p = sigmoid(x_train[watched] @ w + b)  # (2,) @ (2,) -> ()
        print(f"step {step}   loss {loss:.4f}   the watched bird is a chinstrap with probability {p:.3f}")
    w = w - learning_rate * grad_w  # update
    b = b - learning_rate * grad_b
    models.append((w, b))

train_losses = np.array([logistic_loss(w, b, x_train, y_train) for w, b in models])  # (n_steps + 1,)
validation_losses = np.array([logistic_loss(w, b, x_validation, y_validation) for w, b in models])
wrong = [np.sum((x_train @ w + b > 0) != y_train) for w, b in models]  # (n, 2) @ (2,) -> (n,)
print(f"step {n_steps}   training loss {train_losses[-1]:.4f}, {wrong[-1]} of {len(y_train)} birds wrong")
print(f"           validation loss {validation_losses[-1]:.4f}")

# %% [markdown]
# How low can the training loss get? With this model the loss is convex (3.2), which means that there is
# one lowest value, and enough steps lead to it. With a few hundred birds and three parameters we can
# afford to walk on until the gradient is zero, which for a network nobody can.

# %%
best_w, best_b = w, b
steepest = np.inf
n_further = 0
while steepest > 1e-8 and n_further < 100_000:
    optimum, grad_w, grad_b = logistic(best_w, best_b, x_train, y_train)
    steepest = max(np.abs(grad_w).max(), abs(grad_b))
    best_w = best_w - 2.0 * grad_w
    best_b = best_b - 2.0 * grad_b
    n_further += 1
print(f"lowest possible training loss {optimum:.4f}, after {n_further:,} further steps")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(train_losses, color="C0", label="training birds")
ax.plot(validation_losses, "--", color="C1", label="validation birds")
for height, name in ((np.log(2), "guessing, ln 2"), (optimum, "lowest possible on the training birds")):
    ax.axhline(height, color="0.7", linewidth=0.8, zorder=0)
    ax.text(n_steps, height + 0.01, name, ha="right", color="0.4", fontsize=8)
ax.set(xlabel="step", ylabel="loss (nats)", ylim=0, title="Loss on training and validation birds")
ax.legend(loc="upper right", bbox_to_anchor=(1, 0.88))
plt.show()

# %% [markdown]
# Such a picture is called a *learning curve*, and from here on it always shows both sets. The training
# curve starts at $\ln 2$, falls steeply, and then more and more slowly towards the lowest possible value.
# The validation curve belongs to birds that no step has looked at, and it falls, too. So what was learned
# from some birds also holds for others, which is what we want to know. (It even ends lower, so this
# validation set happens to hold the easier birds. That is luck: on four other splits it ended at about
# the height of the training curve three times, and once at nearly twice that height.)
#
# And what happens to the birds meanwhile? Where the score is zero the model cannot decide. These points
# form a line, the *decision boundary*, and here it is after some of the steps.

# %%
corners = np.array([-3.5, 3.5])  # standardised bills, far enough left and right


def draw_two_species(ax):
    """The training birds in millimetres."""
    for label, (name, marker) in enumerate((("Adélie", "o"), ("chinstrap", "^"))):
        shown = center + spread * x_train[y_train == label]  # (m, 2)
        ax.plot(shown[:, 0], shown[:, 1], marker, color="0.2", markersize=3, fillstyle="none", label=name)
    ax.set(xlabel="bill length (mm)", xlim=(31, 60), ylim=(168, 215))


fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, step in zip(axes, (1, 10, 50, n_steps)):
    step_w, step_b = models[step]
    draw_two_species(ax)
    boundary = -(step_w[0] * corners + step_b) / step_w[1]  # the flipper at which the score is zero
    ax.plot(center[0] + spread[0] * corners, center[1] + spread[1] * boundary, color="C1", label="boundary")
    ax.set_title(f"step {step}: {wrong[step]} of {len(y_train)} wrong")
axes[0].set_ylabel("flipper length (mm)")
axes[0].legend(loc="upper left", fontsize=7)
plt.show()

# %% [markdown]
# After a single step the boundary stands among the birds, but it leans the wrong way, as if a longer
# flipper were the mark of a chinstrap. (Taken alone, a longer flipper does speak for a chinstrap, because
# chinstraps have longer flippers on average. But among birds whose bills are equally long it speaks for
# an Adélie.) The following steps turn it, and few birds remain on the wrong side. The loss still falls at
# the end, although hardly any bird changes sides, because birds on the right side get probabilities
# nearer to 0 or 1.
#
# ## A few birds at a time
#
# A step does not have to ask all birds. It can take a random handful, a mini-batch (3.1), whose gradient
# points roughly the same way for a fraction of the work. One pass over all batches is an epoch. Which
# batch size gets furthest in as many epochs: one bird, sixteen, or all of them? We try four different
# splits and take the mean of their validation losses, because a single split depends on luck.


# %%
def train(x, y, batch_size, learning_rate, n_epochs, rng):
    """Logistic regression from zeros, batch by batch; the parameters (w, b) before and after each epoch.

    Raises ValueError for a batch_size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    w = np.zeros(x.shape[1])
    b = 0.0
    models = [(w, b)]
    for _ in range(n_epochs):
        order = rng.permutation(len(y))
        for start in range(0, len(y), batch_size):
            batch = order[start : start + batch_size]
            _, grad_w, grad_b = logistic(w, b, x[batch], y[batch])
            w = w - learning_rate * grad_w
            b = b - learning_rate * grad_b
        models.append((w, b))
    return models


n_epochs = 30
batch_sizes = (1, 16, len(y_train))
rates = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
splits = [split_and_scale(two_measurements, two_labels, np.random.default_rng(seed)) for seed in range(4)]

curves_at_one_rate = {}  # batch size -> mean validation loss of the splits before and after each epoch
for size in batch_sizes:
    curves = []
    for i, (x, y, x_held, y_held, _, _) in enumerate(splits):
        batch_models = train(x, y, size, 0.1, n_epochs, np.random.default_rng(i))
        curves.append([logistic_loss(w, b, x_held, y_held) for w, b in batch_models])
    curves_at_one_rate[size] = np.mean(curves, axis=0)  # (n_epochs + 1,)
    print(f"rate 0.1, batch size {size:4d}   validation loss {curves_at_one_rate[size][-1]:.4f}")

# %% [markdown]
# At one and the same learning rate the answer seems clear: the smaller the batch, the lower the loss. But
# the race is not fair. With single birds an epoch has 154 steps and with all birds it has one, and at a
# common rate a step on all birds is on average no longer than a step on one bird, so the large batch
# cannot get as far. Now let each batch size have the rate that suits it best. We try eight rates for
# each, and compare the mean validation loss after the same number of epochs. What will be left of the
# difference?

# %%
final_losses = {}  # batch size -> mean validation loss for each rate (8,)
seconds = {}
for size in batch_sizes:
    table = np.zeros((len(splits), len(rates)))
    started = time.perf_counter()
    for i, (x, y, x_held, y_held, _, _) in enumerate(splits):
        for j, tried_rate in enumerate(rates):
            last_w, last_b = train(x, y, size, tried_rate, n_epochs, np.random.default_rng(i))[-1]
            table[i, j] = logistic_loss(last_w, last_b, x_held, y_held)
    seconds[size] = (time.perf_counter() - started) / table.size
    final_losses[size] = table.mean(axis=0)

best_rate = {size: rates[final_losses[size].argmin()] for size in batch_sizes}
print(f"{'batch size':20s}{'best rate':>12s}{'valid. loss':>12s}{'steps':>12s}{'time (ms)':>12s}")
for size in batch_sizes:
    total_steps = n_epochs * math.ceil(len(y_train) / size)
    row = f"{size:<20d}{best_rate[size]:12g}{final_losses[size].min():12.4f}"
    print(row + f"{total_steps:12d}{1000 * seconds[size]:12.1f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for size, style in zip(batch_sizes, ("-", "--", "-.")):
    left.plot(curves_at_one_rate[size], style, label=f"batch size {size}")
    right.semilogx(rates, final_losses[size], style, marker="o", markersize=4, label=f"batch size {size}")
left.set(xlabel="epoch", ylabel="validation loss (nats)", ylim=(0, 0.75), title="All at the rate 0.1")
right.set(xlabel="learning rate", title=f"After {n_epochs} epochs, at each rate")
right.set_xticks(rates, [f"{rate:g}" for rate in rates])
right.legend(loc="upper center")
plt.show()

# %% [markdown]
# Look at the lowest points of the three curves on the right: they have about the same height. Each batch
# size has reached the same loss, at a rate of its own, and the best rate grows with the batch. (The
# validation birds have chosen these rates, so all three numbers are flattered a little, and alike.) What
# the left panel showed was the rate 0.1, which suits single birds and is a hundred times too small for
# all of them. To the left of its best rate a curve is high because the training has not got far enough.
# To the right it rises because the steps are too long. And if batches are small, each of them pulls its
# own way, more at random than a large one (3.1), and long steps throw the parameters about. So a small
# batch needs a smaller rate.
#
# What remains is the time, in the last column. Every step has a fixed cost, here Python's and NumPy's,
# and single birds pay it most often. On the other hand a set of millions of examples does not fit into
# one step, and there is no need for that. So the usual choice lies in between: as large a batch as costs
# hardly more time than a small one, with a learning rate that is tried out for it.
#
# ## The same in PyTorch
#
# Here are the four steps as a team writes them. Lesson 3.6 explains each line. For now compare the four
# lines of the loop with ours: the model computes the scores, the loss function is the one of lesson 3.2,
# `backward()` finds the gradient, and the optimizer makes the update. (`zero_grad` clears the gradient of
# the step before.)

# %%
model = nn.Linear(2, 1, dtype=torch.float64)  # two weights and a bias
nn.init.zeros_(model.weight)
nn.init.zeros_(model.bias)
loss_function = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
inputs = torch.tensor(x_train)  # (n, 2)
targets = torch.tensor(y_train, dtype=torch.float64)  # (n,)

torch_losses = []
for _ in range(n_steps):
    torch_loss = loss_function(model(inputs)[:, 0], targets)  # forward, loss
    optimizer.zero_grad()
    torch_loss.backward()  # gradient
    optimizer.step()  # update
    torch_losses.append(torch_loss.item())

print(f"largest difference of the two loss curves {np.abs(train_losses[:-1] - torch_losses).max():.1e}")
np.testing.assert_allclose(torch_losses, train_losses[:-1], rtol=1e-10)
np.testing.assert_allclose(model.weight.detach()[0], models[-1][0], rtol=1e-8)
np.testing.assert_allclose(model.bias.item(), models[-1][1], rtol=1e-8)

# %% [markdown]
# The curves and the final parameters agree to rounding.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert abs(train_losses[0] - np.log(2)) < 1e-12, "zero parameters are the blind guesser"
assert np.all(np.diff(train_losses) < 0), "the training loss falls at every step"
assert 0 < train_losses[-1] - optimum < 0.05, "after the last step it is near the lowest possible"
assert steepest <= 1e-8, "at the lowest loss the gradient is zero"
assert validation_losses[-1] < validation_losses[0] / 3, "the validation loss falls, too"
assert models[1][0][1] > 0 > models[-1][0][1], "the weight of the flipper changes its sign"
mean_flippers = [x_train[y_train == label, 1].mean() for label in (0, 1)]
assert mean_flippers[0] < mean_flippers[1], "chinstraps have longer flippers on average"
assert wrong[-1] < 0.07 * len(y_train), "few birds remain on the wrong side"
assert validation_losses[-1] < train_losses[-1], (
    "on this split, by luck, the validation birds are the easier ones"
)
last = [curve[-1] for curve in curves_at_one_rate.values()]
assert last[0] < last[1] - 0.02 < last[2] - 0.04, "at the rate 0.1 smaller batches end lower"
lowest = [final_losses[size].min() for size in batch_sizes]
assert max(lowest) < 1.15 * min(lowest), "at its own best rate each batch size reaches about the same loss"
assert best_rate[1] < best_rate[16] < best_rate[len(y_train)], "the best rate grows with the batch"
assert all(rates[0] < rate < rates[-1] for rate in best_rate.values()), "no best rate is at the edge"
assert final_losses[1][-1] > 10 * min(lowest), "single birds at a large rate are thrown about"

# %% [markdown]
# ## Going further
#
# The model for three and more classes is needed in lesson 3.6 and for every classifier after it. What a
# batch costs comes back with the GPU in lesson 4.5.
#
# ### Three species: softmax
#
# Give each class its own weights and its own score, $z_k = w_k \cdot x + b_k$. The *softmax* (1.2) turns
# the scores into probabilities: raise $e$ to each of them, and divide by the sum. Scores of $\ln 1$, $\ln
# 2$ and $\ln 5$ become $1$, $2$ and $5$, so the probabilities are $\frac18$, $\frac28$ and $\frac58$. The
# loss is the surprise at the true class $y$, and its slope has a form that we know:
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad \ell = -\ln p_y = \ln \sum_j e^{z_j} - z_y, \qquad
#   \frac{\partial \ell}{\partial z_k} = \frac{e^{z_k}}{\sum_j e^{z_j}} - [k = y] = p_k - [k = y] .$$
#
# Here $[k = y]$ is one for the true class and zero for the others, which is the one-hot label (3.1). So
# it is again the probability minus the truth. Such scores before a softmax are called logits (3.2).
# Adding one number to all of them changes no probability, so we subtract the largest, and nothing
# overflows.


# %%
def softmax(logits):
    """Probabilities along the last axis of scores of any size; logits: (..., K)."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def softmax_regression(weight, bias, x, y):
    """Loss (nats), gradient along weight (K, D) and along bias (K,) of softmax regression on one batch.

    x: (B, D), y: (B,) class indices. Raises ValueError if they do not match, if there are none, or if an
    index is negative.
    """
    if y.shape != x.shape[:1] or len(y) == 0:
        raise ValueError(f"x has shape {x.shape} but y has shape {y.shape}")
    if y.min() < 0:  # NumPy refuses an index that is too large, but counts a negative one from the end
        raise ValueError(f"labels must not be negative, got {y.min()}")
    rows = np.arange(len(y))
    logits = x @ weight.T + bias  # (B, D) @ (D, K) -> (B, K)
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, y])
    grad_z = softmax(logits)  # (B, K)
    grad_z[rows, y] -= 1  # minus the one-hot labels
    grad_z /= len(y)
    return loss, grad_z.T @ x, grad_z.sum(axis=0)  # (K, B) @ (B, D) -> (K, D)


def training_step(weight, bias, x, y, learning_rate):
    """One step of gradient descent on one batch, in place; returns the loss before it."""
    loss, grad_weight, grad_bias = softmax_regression(weight, bias, x, y)
    weight -= learning_rate * grad_weight
    bias -= learning_rate * grad_bias
    return loss


np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [1 / 8, 2 / 8, 5 / 8])
x_three, y_three, x_held_out, y_held_out, three_center, three_spread = split_and_scale(
    measurements, labels, np.random.default_rng(0)
)
weight = rng.normal(size=(3, 2))
bias = rng.normal(size=3)
_, grad_weight, grad_bias = softmax_regression(weight, bias, x_three, y_three)
for grad, parameter in ((grad_weight, weight), (grad_bias, bias)):
    measured = nudged_slope(lambda: softmax_regression(weight, bias, x_three, y_three)[0], parameter)
    print(f"largest difference from the measured slopes {np.abs(grad - measured).max():.1e}")
    np.testing.assert_allclose(grad, measured, atol=1e-8)

# %%
weight = np.zeros((3, 2))
bias = np.zeros(3)
batch_rng = np.random.default_rng(0)
three_losses = []  # training and validation, before each epoch and after the last
for epoch in range(n_epochs + 1):
    train_loss = softmax_regression(weight, bias, x_three, y_three)[0]
    held_out_loss = softmax_regression(weight, bias, x_held_out, y_held_out)[0]
    three_losses.append((train_loss, held_out_loss))
    if epoch < n_epochs:
        # len(y) // 16 nearly equal pieces, so batches of 16 or 17
        for batch in np.array_split(batch_rng.permutation(len(y_three)), len(y_three) // 16):
            training_step(weight, bias, x_three[batch], y_three[batch], 0.3)
guesses = (x_held_out @ weight.T + bias).argmax(axis=1)  # (m, 2) @ (2, 3) -> (m, 3) -> (m,)
three_accuracy = np.mean(guesses == y_held_out)
print(f"training loss {three_losses[0][0]:.4f} -> {three_losses[-1][0]:.4f}, ln 3 = {np.log(3):.4f}")
print(f"validation loss {three_losses[-1][1]:.4f}, accuracy {three_accuracy:.1%}")

grid = np.stack(
    np.meshgrid(np.linspace(-2.5, 3.2, 300), np.linspace(-2.5, 2.5, 300)), axis=-1
)  # (300, 300, 2)
region = (grid @ weight.T + bias).argmax(axis=-1)  # (300, 300, 2) @ (2, 3) -> (300, 300, 3) -> (300, 300)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(np.array(three_losses)[:, 0], color="C0", label="training birds")
left.plot(np.array(three_losses)[:, 1], "--", color="C1", label="validation birds")
left.set(xlabel="epoch", ylabel="loss (nats)", ylim=0, title="Softmax regression on three species")
left.legend()
grid_mm = three_center + three_spread * grid  # (300, 300, 2)
levels = (-0.5, 0.5, 1.5, 2.5)
right.contourf(grid_mm[..., 0], grid_mm[..., 1], region, levels=levels, cmap="RdBu", alpha=0.5)
for label, (name, marker) in enumerate((("Adélie", "o"), ("chinstrap", "^"), ("gentoo", "s"))):
    shown = three_center + three_spread * x_held_out[y_held_out == label]  # (m, 2)
    right.plot(shown[:, 0], shown[:, 1], marker, color="0.2", markersize=4, fillstyle="none", label=name)
right.set(xlabel="bill length (mm)", ylabel="flipper length (mm)", title="Regions, with validation birds")
right.legend(loc="lower right", fontsize=8)
plt.show()

# %% [markdown]
# The loss starts at $\ln 3$, as a guesser's among three classes must. Where two of the scores are equal,
# there is a boundary, and all boundaries are straight. With two classes softmax is nothing new: dividing
# by $e^{z_1}$ gives $e^{z_1} / (e^{z_1} + e^{z_2}) = 1 / (1 + e^{-(z_1 - z_2)})$, the sigmoid of the
# difference of the two scores.
#
# ### What a batch costs
#
# How long does one step take, and how many examples is that in a second? We repeat the birds to fill larger
# batches. Your times will differ, but not the shape of the curves.

# %%
timed_sizes = 4 ** np.arange(7)  # (7,)
many_x = np.resize(x_three, (4096, 2))  # the birds over and over
many_y = np.resize(y_three, 4096)
laps = np.zeros((40, len(timed_sizes)))  # all sizes in every round, so that a busy moment hits all alike
for lap in laps:
    for i, size in enumerate(timed_sizes):
        started = time.perf_counter()
        training_step(weight.copy(), bias.copy(), many_x[:size], many_y[:size], 0.0)
        lap[i] = time.perf_counter() - started
step_times = np.median(laps, axis=0)  # (7,) seconds
for size, step_time in zip(timed_sizes, step_times):
    print(f"batch size {size:5d}   {1e6 * step_time:8.1f} µs per step   {size / step_time:8.3g} per second")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(timed_sizes, 1e6 * step_times, "o-", color="C0")
left.set(xlabel="batch size", ylabel="time of a step (µs)", ylim=1, title="Time of one step")
right.loglog(timed_sizes, timed_sizes / step_times, "o-", color="C0")
right.set(xlabel="batch size", ylabel="examples per second", title="Examples per second")
for ax in (left, right):
    ax.set_xticks(timed_sizes, timed_sizes)
    ax.minorticks_off()
plt.show()

# %% [markdown]
# Up to a few dozen birds a step costs about the same, whatever the batch, because the fixed cost dominates.
# After that the time grows with the batch. On a GPU this flat stretch is much longer (4.5).

# %%
assert abs(three_losses[0][0] - np.log(3)) < 1e-12, "zero weights are the blind guesser among three"
assert three_losses[-1][0] < 0.2 and three_losses[-1][1] < 0.3, "three species are learned, too"
assert three_accuracy > 0.9, "more than nine of ten validation birds are right"

# %% [markdown]
# ## What to remember
#
# - Forward, loss, gradient, update. Everything later changes what stands inside these four steps, not the
#   steps.
# - The gradient along the scores is the probability minus the truth. From there to the weights it is one
#   matrix product, $X^\top$ with it, and a derivation is trusted after nudging agrees.
# - Learning curves show training and validation, between two yardsticks: the guesser's loss above and, if
#   it is known, the lowest possible below.
# - A batch is what one step sees, and an epoch shows every example once. Compare batch sizes only with a
#   learning rate of its own for each.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top. An AssertionError at the end is no
# damage: it names the claim that your change has overturned.
#
# 1. Raise the learning rate of the loop: `learning_rate = 100.0`. What will the learning curve of the first
#    figure do, and is the training lost?
# 2. Give the batch sizes a single epoch: `n_epochs = 1`. All birds at once then take one step, from zeros.
#    Which batch size will now win, even with its own best rate? Look at the table and at the right panel.
# 3. From a blank cell at the end: train on raw millimetres instead of standardised numbers, from zeros, for
#    `n_steps` steps, with `logistic` on `center + spread * x_train`. Try rates from $10^{-1}$ down to
#    $10^{-5}$. Compare the best loss that you get with `train_losses[-1]`. Why is it so hard (2.6)?
#
# ## Sources
#
# - H. Robbins, S. Monro, "A stochastic approximation method", _Annals of Mathematical Statistics_ 22,
#   1951: descent on noisy slopes.
# - D. R. Cox, "The regression analysis of binary sequences", _Journal of the Royal Statistical Society B_
#   20, 1958: logistic regression.
# - C. M. Bishop, _Pattern Recognition and Machine Learning_, 2006, sections 4.3.2 and 4.3.4: both
#   gradients.
# - P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017: a larger batch
#   takes a larger learning rate. Reproduced: "the best rate grows with the batch".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
