# %% [markdown]
# # 5.5 Loss functions: how wrong is wrong?
#
# Two weather forecasters both say the wrong thing. One said "rain, I think", the other "rain, I swear".
# Who deserves more blame? A loss is the rule by which blame is given, and a network becomes whatever its
# rule rewards.
#
# **You will build** the losses for numbers and for classes, each with its gradient, see which belief
# about the world each of them holds, and try them on penguins and digits. **You need** probability (2.8),
# measuring loss (3.2) and softmax (5.2).

# %%
import csv
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# *Numbers are graded by distance.* Predictions $2$ and $5$ for the targets $3$ and $1$ are off by $-1$
# and $4$. The mean of the squares is $\frac{1 + 16}{2} = 8.5$: one large error outweighs the other.
#
# *Classes are graded by surprise.* If we gave the true class probability $p$, our surprise is $-\ln p$:
# nothing at $p = 1$, and with every halving of $p$ it grows by the same $\ln 2 \approx 0.69$. The unit is
# the *nat*.

# %%
print("squared error:", np.mean((np.array([2.0, 5.0]) - np.array([3.0, 1.0])) ** 2))
for p in (1, 1 / 2, 1 / 4, 1 / 8):
    print(f"probability {p:.3f}   surprise {math.log(1 / p):.3f} nats")
assert math.isclose(-math.log(1 / 8), 3 * math.log(2))

# %% [markdown]
# ## Mean squared error (MSE)
#
# With predictions $\hat y$ and targets $y$, both of shape $(n,)$ or whatever shape they share,
#
# $$L = \frac1n \sum_i (\hat y_i - y_i)^2, \qquad
#   \frac{\partial L}{\partial \hat y_i} = \frac2n\, (\hat y_i - y_i) .$$
#
# Every loss here returns both, the number and its gradient at the prediction. And every loss checks its
# shapes: against a column $(n, 1)$, NumPy would spread a row $(n,)$ to all $n^2$ pairs, and grade each
# prediction by all targets.


# %%
def residuals(prediction, target):
    """prediction - target; ValueError where their shapes differ, because NumPy would broadcast."""
    if np.shape(prediction) != np.shape(target):
        raise ValueError(f"prediction has shape {np.shape(prediction)} but target {np.shape(target)}")
    return prediction - target


def mse(prediction, target):
    """Mean squared error and its gradient at the prediction; ValueError where the shapes differ."""
    residual = residuals(prediction, target)
    return float(np.mean(residual**2)), 2 / residual.size * residual


column, row = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])  # (3, 1), (3,)
print("a perfect prediction, graded without the check:", np.mean((column - row) ** 2).round(3))
try:
    mse(column, row)
except ValueError as error:
    print("with the check:", error)
assert mse(row, row)[0] == 0 < np.mean((column - row) ** 2)

# %% [markdown]
# ## What squared error believes
#
# Why squares? Suppose the world is a line with noise: $y = \hat y + \varepsilon$, with $\varepsilon$
# drawn from a bell curve, the normal curve of lesson 2.8, of width $\sigma$. The *likelihood* of a model
# is the probability (here: the density) it gave to what was seen. Its negative logarithm, for $n$
# independent observations, is
#
# $$-\ln \prod_i \frac{1}{\sigma\sqrt{2\pi}}\, e^{-(y_i - \hat y_i)^2 / 2\sigma^2}
#   = \frac{n}{2 \sigma^2}\, \text{MSE} + n \ln(\sigma \sqrt{2\pi}) .$$
#
# Only the MSE depends on the prediction. Whoever minimises it seeks the *maximum likelihood* under
# bell-shaped noise, for any $\sigma$. We try it on penguins: body mass from the length of the flipper.

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

flipper, mass = (measurements - measurements.mean(axis=0)).T  # (n,) mm and (n,) g, from average
slopes = np.linspace(0, 100, 401)  # g per mm
mse_curve = np.array([mse(slope * flipper, mass)[0] for slope in slopes])  # (401,)


def gaussian_surprise(prediction, target, sigma):
    """Mean of -ln of the bell curve's density at the residuals."""
    z = residuals(prediction, target) / sigma
    return float(np.mean(0.5 * z**2 + math.log(sigma * math.sqrt(2 * math.pi))))


best = slopes[np.argmin(mse_curve)]
for sigma in (200, 400, 800):
    surprise = [gaussian_surprise(slope * flipper, mass, sigma) for slope in slopes]
    print(
        f"sigma {sigma} g: likeliest slope {slopes[np.argmin(surprise)]:.2f} g/mm, least squares {best:.2f}"
    )
    assert slopes[np.argmin(surprise)] == best
    np.testing.assert_allclose(
        surprise, mse_curve / (2 * sigma**2) + math.log(sigma * math.sqrt(2 * math.pi))
    )

# %% [markdown]
# ## Outliers
#
# A bell curve hardly ever strays far, so squared error takes a far point very seriously. The mean
# *absolute error* (MAE) is the same argument for noise with longer tails, whose density falls like
# $e^{-|r|}$ with the residual $r = \hat y - y$ (the *Laplace distribution*). *Huber's* loss is square near
# zero and straight beyond $\delta$:
#
# $$\text{MAE} = \frac1n \sum_i |r_i|, \qquad
#   \text{Huber} = \frac1n \sum_i \begin{cases} \frac12 r_i^2 & |r_i| \le \delta \\
#   \delta\, (|r_i| - \frac12 \delta) & \text{else.} \end{cases}$$


# %%
def mae(prediction, target):
    """Mean absolute error and its gradient at the prediction; ValueError where the shapes differ."""
    residual = residuals(prediction, target)
    return float(np.mean(np.abs(residual))), np.sign(residual) / residual.size


def huber(prediction, target, delta=1.0):
    """Huber's loss and its gradient at the prediction; ValueError where the shapes differ. Huber 1964."""
    residual = residuals(prediction, target)
    clipped = np.clip(residual, -delta, delta)  # the slope: the residual itself, up to delta
    return float(np.mean(clipped * (residual - 0.5 * clipped))), clipped / residual.size


# %% [markdown]
# Suppose somebody types one mass with a zero too many. We summarise all masses by one number, the one
# with the smallest loss. Squares make it the mean, absolute errors the median; the typo drags only one of
# them.

# %%
grams = measurements[:, 1]
spoiled = np.where(np.arange(len(grams)) == 0, 10 * grams, grams)  # the first bird weighs 37 kg
guesses = np.arange(3500.0, 5000.0)
losses = {"MSE": mse, "MAE": mae, "Huber": lambda p, t: huber(p, t, delta=500.0)}
print(f"{'best single number':20s}{'clean (g)':>12s}{'typo (g)':>12s}{'moved (g)':>12s}")
moved = {}
for name, loss in losses.items():
    clean, typo = (
        guesses[np.argmin([loss(np.full(len(data), guess), data)[0] for guess in guesses])]
        for data in (grams, spoiled)
    )
    moved[name] = typo - clean
    print(f"{name:20s}{clean:12.0f}{typo:12.0f}{moved[name]:12.0f}")
    reference = {"MSE": np.mean, "MAE": np.median}.get(name)
    assert reference is None or abs(typo - reference(spoiled)) <= 1
assert moved["MSE"] > 50 and max(abs(moved["MAE"]), abs(moved["Huber"])) < 10

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
r = np.linspace(-3, 3, 301)
for (name, loss), style in zip({"MSE": mse, "MAE": mae, "Huber, δ = 1": huber}.items(), ("-", "--", "-.")):
    graded = [loss(np.array([value]), np.zeros(1)) for value in r]
    left.plot(r, [value for value, _ in graded], style, label=name)
    right.plot(r, [gradient[0] for _, gradient in graded], style, label=name)
left.set(xlabel="residual", ylabel="loss", title="Squares punish the far point most", ylim=(0, 5))
right.set(xlabel="residual", ylabel="slope of the loss", title="The others limit its pull", ylim=(-4, 4))
left.legend()
plt.show()

# %% [markdown]
# ## What cross-entropy believes
#
# For classes, a model gives each class a probability, and the likelihood of what was seen is the product
# of the probabilities of the true classes. Its negative logarithm, per example, is the mean surprise, and
# is called *cross-entropy*. If the model may say only one thing about all penguins, which probabilities
# $q$ surprise it least? The shares of the three species themselves, and any other $q$ does worse.

# %%
shares = np.bincount(labels) / len(labels)  # (3,)


def mean_surprise(q):
    """Cross-entropy of all penguins' species under the probabilities q, (3,)."""
    return float(np.mean(-np.log(q)[labels]))


others = rng.dirichlet(np.ones(3), size=1000)  # (1000, 3): random probabilities
surprises = [mean_surprise(q) for q in others]
print(
    f"shares {shares.round(3)}   surprise {mean_surprise(shares):.4f}, at best {min(surprises):.4f} elsewhere"
)
print(f"knowing nothing, a third each: {mean_surprise(np.full(3, 1 / 3)):.4f} = ln 3")
assert mean_surprise(shares) < min(surprises)

# %% [markdown]
# ## Cross-entropy from logits
#
# A network hands us logits $z$. Softmax would turn them into probabilities, the logarithm would take the
# exponential back, and on the way both could overflow or reach $\ln 0$. So we do both at once, by
# *log-sum-exp*, with the largest logit $m$ taken out:
#
# $$\ln p_k = z_k - m - \ln \sum_j e^{z_j - m}, \qquad
#   L = -\frac1B \sum_b \sum_k t_{bk} \ln p_{bk}, \qquad
#   \frac{\partial L}{\partial z_{bk}} = \frac{p_{bk} - t_{bk}}{B} .$$
#
# The target row $t_b$ has a one at the true class. *Label smoothing* takes a share $s$ of that one and
# spreads it evenly over all $K$ classes: never be quite sure.


# %%
def log_softmax(logits):
    """ln of the softmax along the last axis, (…, K) -> (…, K), finite for any finite logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def cross_entropy(logits, labels, smoothing=0.0):
    """Mean surprise at the labels (nats) and its gradient at the logits, (B, K).

    logits: (B, K), labels: (B,) of whole numbers 0 to K - 1, smoothing: share given to all classes.
    Raises ValueError for other shapes, for labels out of range or not whole, for smoothing outside [0, 1].
    """
    labels = np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits have shape {logits.shape} but labels {labels.shape}: need (B, K) and (B,)")
    n_examples, n_classes = logits.shape
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels must be whole numbers from 0 to {n_classes - 1}, got {np.unique(labels)}")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be between 0 and 1, got {smoothing}")
    targets = np.full(logits.shape, smoothing / n_classes, dtype=logits.dtype)  # (B, K)
    targets[np.arange(n_examples), labels] += 1 - smoothing
    log_probabilities = log_softmax(logits)  # (B, K)
    loss = -np.sum(targets * log_probabilities) / n_examples
    return float(loss), (np.exp(log_probabilities) - targets) / n_examples


# %% [markdown]
# On paper: logits $(\ln 1, \ln 2, \ln 5)$ mean probabilities $(\frac18, \frac28, \frac58)$. If the last
# class is true, the loss is $\ln \frac85$ and the gradient $(\frac18, \frac28, -\frac38)$: down with the
# wrong ones, up with the right one, and all of it adds up to zero. It vanishes only where $p = t$, which
# takes infinite logits. With smoothing, a probability of $1 - s + s / K$ for the true class is enough.
# Then nudge random logits, and try hopeless ones.

# %%
loss, gradient = cross_entropy(np.log([[1.0, 2.0, 5.0]]), [2])
print(f"loss {loss:.4f}   gradient {gradient}")
np.testing.assert_allclose(loss, math.log(8 / 5))
np.testing.assert_allclose(gradient, [[1 / 8, 2 / 8, -3 / 8]])
sure_enough = np.log([[0.925, 0.025, 0.025, 0.025]])  # 1 - 0.1 + 0.1 / 4, and 0.1 / 4 for the others
np.testing.assert_allclose(cross_entropy(sure_enough, [0], smoothing=0.1)[1], np.zeros((1, 4)), atol=1e-12)


def measured_gradient(f, x, nudge=1e-5):
    """Central differences of the number f(x) at the array x, in float64."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = nudge
        gradient[index] = (f(x + step) - f(x - step)) / (2 * nudge)
    return gradient


logits, classes = rng.normal(size=(5, 4)), rng.integers(4, size=5)
for smoothing in (0.0, 0.1):
    measured = measured_gradient(lambda z, s=smoothing: cross_entropy(z, classes, s)[0], logits)
    np.testing.assert_allclose(cross_entropy(logits, classes, smoothing)[1], measured, atol=1e-9)
hopeless_loss, hopeless_gradient = cross_entropy(np.array([[1e4, -1e4]]), [1])
print(f"hopeless: loss {hopeless_loss}, gradient {hopeless_gradient}")
assert hopeless_loss == 2e4 and hopeless_gradient.tolist() == [[1, -1]]

# %% [markdown]
# ## Yes or no
#
# With two classes one logit is enough: $z$ for yes, and $0$ for no. Softmax of $(0, z)$ is the sigmoid,
# and the same cross-entropy becomes
#
# $$L = \max(0, z) - t z + \ln(1 + e^{-|z|}), \qquad \frac{\partial L}{\partial z} = \sigma(z) - t .$$


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)) without overflow, as in lesson 5.2."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def binary_cross_entropy(logits, targets):
    """Mean surprise (nats) at targets in [0, 1], and its gradient at the logits, of any one shape.

    Raises ValueError where the shapes differ or a target lies outside [0, 1].
    """
    if np.shape(logits) != np.shape(targets):
        raise ValueError(f"logits have shape {np.shape(logits)} but targets {np.shape(targets)}")
    if np.min(targets) < 0 or np.max(targets) > 1:
        raise ValueError(f"targets must lie in [0, 1], got {np.min(targets)} to {np.max(targets)}")
    loss = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    return float(np.mean(loss)), (sigmoid(logits) - targets) / np.size(logits)


z, t = rng.normal(size=9), rng.integers(2, size=9)
two_columns = np.column_stack([np.zeros(9), z])  # (9, 2)
np.testing.assert_allclose(binary_cross_entropy(z, t)[0], cross_entropy(two_columns, t)[0], rtol=1e-12)
np.testing.assert_allclose(binary_cross_entropy(z, t)[1], cross_entropy(two_columns, t)[1][:, 1], rtol=1e-12)

# %% [markdown]
# ## The same in PyTorch
#
# Every loss and gradient against the library's, in float64, on logits up to ten thousand: confident,
# right and wrong.

# %%
scores, numbers = rng.normal(scale=1e4, size=(64, 10)), rng.normal(scale=10, size=(64, 3))
classes, wishes, answers = rng.integers(10, size=64), rng.normal(scale=10, size=(64, 3)), rng.uniform(size=64)
pairs = {
    "MSE": (mse, F.mse_loss, numbers, wishes),
    "MAE": (mae, F.l1_loss, numbers, wishes),
    "Huber": (huber, F.huber_loss, numbers, wishes),
    "cross-entropy": (cross_entropy, F.cross_entropy, scores, classes),
    "smoothed": (
        lambda z, t: cross_entropy(z, t, smoothing=0.1),
        lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1),
        scores,
        classes,
    ),
    "binary": (binary_cross_entropy, F.binary_cross_entropy_with_logits, scores[:, 0], answers),
}
print(f"{'largest difference':20s}{'loss':>12s}{'gradient':>12s}")
for name, (ours, theirs, prediction, target) in pairs.items():
    loss, gradient = ours(prediction, target)
    u = torch.from_numpy(prediction).requires_grad_()
    expected = theirs(u, torch.from_numpy(target))
    expected.backward()
    print(f"{name:20s}{abs(loss - expected.item()):12.1e}{np.abs(gradient - u.grad.numpy()).max():12.1e}")
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, u.grad, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## Confidently wrong
#
# Why not squared error on the probability, $(\sigma(z) - t)^2$? Its slope at $z$ carries the sigmoid's
# slope as a factor, and that is nearly zero where the sigmoid is sure. Take $\sigma = 0.01$ and the truth
# $1$: cross-entropy has the slope $-0.99$, squared error $2 (-0.99) \cdot 0.01 \cdot 0.99 \approx -0.02$.
# The surer it is of the wrong answer, the weaker the pull. To feel it, we start a single neuron on Adélies
# and gentoos, by bill length and depth, convinced of the opposite of the truth.


# %%
def brier(logits, targets):
    """Mean squared error of the sigmoid (Brier's score) and its gradient at the logits; Brier 1950."""
    p = sigmoid(logits)
    loss, gradient = mse(p, targets)
    return loss, gradient * p * (1 - p)


COLUMNS, SPECIES = ("bill_length_mm", "bill_depth_mm"), ("Adelie", "Gentoo")
with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
bills = (measurements - measurements.mean(axis=0)) / measurements.std(axis=0)  # (n, 2)

n_steps, learning_rate, accuracy = 200, 1.0, {}
for name, loss in {"cross-entropy": binary_cross_entropy, "squared error": brier}.items():
    weight, bias, accuracy[name] = np.array([-8.0, 8.0]), 0.0, []
    for _ in range(n_steps):
        z = bills @ weight + bias  # (n, 2) @ (2,) -> (n,)
        accuracy[name].append(np.mean((z > 0) == labels))
        _, gradient = loss(z, labels.astype(np.float64))
        weight = weight - learning_rate * gradient @ bills  # (n,) @ (n, 2) -> (2,)
        bias = bias - learning_rate * gradient.sum()
    print(
        f"{name:20s}accuracy at first {accuracy[name][0]:.1%}, after {n_steps} steps {accuracy[name][-1]:.1%}"
    )
assert accuracy["cross-entropy"][-1] > 0.95 and accuracy["squared error"][-1] < 0.3
slope_of_cross_entropy, slope_of_squared_error = (
    loss(np.log([0.01 / 0.99]), np.ones(1))[1][0] for loss in (binary_cross_entropy, brier)
)
assert math.isclose(slope_of_cross_entropy, -0.99) and -0.02 < slope_of_squared_error < -0.019

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
z = np.linspace(-10, 10, 401)
for (name, loss), style in zip(
    {"cross-entropy": binary_cross_entropy, "squared error": brier}.items(), ("-", "--")
):
    left.plot(z, [-loss(np.array([value]), np.ones(1))[1][0] for value in z], style, label=name)
    right.plot(accuracy[name], style, label=name)
left.axvspan(-10, -5, color="0.93", zorder=0)
left.text(-7.5, 0.5, "confidently\nwrong", ha="center")
left.set(
    xlabel="logit of the true class",
    ylabel="pull towards it",
    title="Squared error gives up on the worst mistakes",
)
left.legend(loc="upper right")
right.set(xlabel="step", ylabel="accuracy", title="From such a start it does not recover", ylim=(-0.03, 1.03))
right.legend(loc="center right")
plt.show()

# %% [markdown]
# ## Digits, with a fair start
#
# A network that starts undecided is another matter. The same network learns digits under cross-entropy,
# and once more under squared error between softmax and target. Each loss gets several learning rates, up
# to one that breaks it; the best is chosen on validation digits, and reported on test digits.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(images))
x = torch.tensor(images[order], dtype=torch.float32).split([1000, 400, 397])  # training, validation, test
y = torch.tensor(labels[order]).split([1000, 400, 397])


def train(loss_function, learning_rate, n_epochs=6, batch_size=32):
    """A 64-64-10 network on the training digits; returns its accuracy on each of the three parts."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(x[0])).split(batch_size):
            loss = loss_function(model(x[0][batch]), y[0][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return [(model(inputs).argmax(dim=1) == truth).float().mean().item() for inputs, truth in zip(x, y)]


# %% [markdown]
# Squared error needs the target as a row of zeros with a one at the true class, a *one-hot* row.


# %%
def squared_error(logits, labels):
    """Mean squared difference between the softmax of the logits, (B, 10), and the one-hot rows."""
    return F.mse_loss(logits.softmax(dim=1), F.one_hot(labels, 10).float())


rates = {F.cross_entropy: (0.03, 0.1, 0.3, 1.0, 3.0), squared_error: (0.3, 1.0, 3.0, 10.0, 30.0)}
best_rate, validation, test_accuracy = {}, {}, {}
for name, loss in {"cross-entropy": F.cross_entropy, "squared error": squared_error}.items():
    results = {rate: train(loss, rate) for rate in rates[loss]}
    validation[name] = {rate: accuracies[1] for rate, accuracies in results.items()}
    best_rate[name] = max(results, key=validation[name].get)
    test_accuracy[name] = results[best_rate[name]][2]
    print(f"{name:20s}" + "   ".join(f"rate {rate}: {share:.1%}" for rate, share in validation[name].items()))
    print(f"{'':20s}best rate {best_rate[name]}, test accuracy {test_accuracy[name]:.1%}")
assert min(test_accuracy.values()) > 0.88 and abs(np.subtract(*test_accuracy.values())) < 0.06
assert best_rate["squared error"] > best_rate["cross-entropy"]
assert all(row[max(row)] < 0.5 for row in validation.values())  # the best rate is not the largest
assert validation["cross-entropy"][0.3] > 0.9 and validation["squared error"][0.3] < 0.7

# %% [markdown]
# At its best rate each does well, and which of them wins by a digit or two changes with the seed. But
# squared error needs a much larger rate, and at rates where cross-entropy has long learned it is still
# asleep: its gradient is smaller by the factor $p (1 - p)$ and by the mean over the ten outputs. So
# cross-entropy is the default not because nothing else works, but because it works without coaxing, and
# because its numbers mean something.
#
# ## Which one to take
#
# | you predict | last layer | loss |
# | --- | --- | --- |
# | a number, noise like a bell curve | linear | MSE |
# | a number, with outliers | linear | Huber or MAE |
# | yes or no, or several of them at once | one logit each | binary cross-entropy from logits |
# | one of $K$ classes | $K$ logits | cross-entropy from logits |
# | the same, with doubtful labels | $K$ logits | cross-entropy with label smoothing |
#
# ## What to remember
#
# - A loss is a belief about noise: minimizing MSE is maximum likelihood for bell curves, cross-entropy
#   for classes.
# - Cross-entropy's gradient at the logits is probability minus target: the more wrong, the stronger, up
#   to one.
# - Give losses logits, not probabilities, and shapes that match.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Start the penguin neuron at `[-2.0, 2.0]`. Does squared error recover now?
# 2. Compute the binary loss as `-np.log(sigmoid(z))` at $z = -1000$. What do you get, and why?
# 3. Train the digits with `label_smoothing=0.2`. What happens to the largest probability the network
#    gives?
#
# ## Sources
#
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, sections 5.5 and 6.2: maximum
#   likelihood.
# - P. J. Huber, "Robust estimation of a location parameter", 1964.
# - G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.
# - C. Szegedy and others, "Rethinking the Inception architecture for computer vision", 2016, section 7:
#   label smoothing.
# - L. Hui, M. Belkin, "Evaluation of neural architectures trained with square loss vs cross-entropy in
#   classification tasks", 2021: squared error can keep up.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020; E. Alpaydin, C. Kaynak, *Optical
#   recognition of handwritten digits*, UCI, 1998: the data.
