# %% [markdown]
# # 5.5 Loss functions: from what the target could be to the loss
#
# Two weather forecasters are both wrong. One said that rain was likely, the other that it was certain.
# Which of them should lose more points? A *loss function* is the rule that says how wrong a prediction is,
# and training makes a network into whatever its loss rewards. So the choice of the loss decides what is
# learned, whether a network predicts house prices, spam, the next word, or how many customers call in an
# hour.
#
# Are losses a matter of taste, then? Mostly they are not. There is one recipe, which starts from the
# question what kind of number the target is, and it gives the usual losses one after the other.
#
# **You will build** the losses for numbers, for yes or no, for classes and for counts, each with its
# gradient, by that recipe, check them against PyTorch, and see what a wrong choice costs. **You need**
# probability (2.8), measuring loss (3.2) and softmax (5.2).

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
# A model says that it rains with probability $p$. It rains on two of three days, and each day is a case of
# its own. The probability that the model gives to all that was seen is the product, the likelihood (2.8).
# Its negative logarithm turns the product into a sum:
#
# $$\begin{aligned}
#   \text{likelihood} \quad & p \cdot p \cdot (1 - p) \\
#   p = \tfrac12: \quad & \tfrac12 \cdot \tfrac12 \cdot \tfrac12 = \tfrac18, &
#     -\ln \tfrac18 &= 3 \ln 2 \approx 2.08 \\
#   p = \tfrac23: \quad & \tfrac23 \cdot \tfrac23 \cdot \tfrac13 = \tfrac{4}{27}, &
#     -\ln \tfrac{4}{27} &\approx 1.91
# \end{aligned}$$
#
# The model that says $\frac23$ has the larger likelihood, so the smaller negative logarithm. This is the
# number that we shall use as a loss. A model that was certain, $p = 1$, gave the dry day the probability
# zero, and its loss is infinite. So of the two forecasters above, the one who was certain loses more. By
# this rule confidence lowers the loss if it is right, and raises it without limit if it is wrong.

# %%
for p in (1 / 2, 2 / 3, 0.99):
    likelihood = p * p * (1 - p)
    print(f"p {p:.3f}   likelihood {likelihood:.4f}   -ln {-math.log(likelihood):.4f}")
assert math.isclose(-math.log(1 / 8), 3 * math.log(2))

# %% [markdown]
# ## The recipe
#
# 1. Choose a distribution that the target could have, if the input is known. It has a parameter, such as
#    its mean.
# 2. Let the network's last layer compute a number $z$ without limits, and turn it into an allowed value of
#    that parameter: a probability must lie between $0$ and $1$, a rate above $0$.
# 3. The loss is the negative logarithm of the probability of what was seen, averaged over the examples. It
#    is called the *negative log-likelihood*, NLL. Terms that do not depend on $z$ are left out.
#
# | the target is | distribution | from $z$ to its parameter | loss |
# | --- | --- | --- | --- |
# | a number | Gaussian (normal) | mean $= z$ | squared error |
# | yes or no | Bernoulli (one coin) | probability $= \sigma(z)$ | binary cross-entropy |
# | one of $K$ classes | categorical (one die) | probabilities: softmax of $K$ logits | cross-entropy |
# | a count | Poisson | rate $= e^z$ | Poisson loss |
#
# We go through the table row by row, and each function returns the loss and its gradient at $z$.
#
# ## A number: squared error
#
# Suppose that the target is the prediction plus noise from a normal distribution (2.8) of width $\sigma$.
# For $n$ independent examples with targets $y_i$ and predictions $\hat y_i = z_i$,
#
# $$-\ln \prod_i \frac{1}{\sigma\sqrt{2\pi}}\, e^{-(y_i - \hat y_i)^2 / 2\sigma^2}
#   = \frac{n}{2 \sigma^2}\, \text{MSE} + n \ln(\sigma \sqrt{2\pi}) ,
#   \qquad \text{MSE} = \frac1n \sum_i (\hat y_i - y_i)^2 .$$
#
# Only the mean squared error, MSE (3.2), depends on the predictions. So the predictions with the smallest
# MSE are those with the largest likelihood under normal noise, whatever the width of the noise is. The
# gradient is $\partial \text{MSE} / \partial \hat y_i = \frac2n (\hat y_i - y_i)$. The shapes have to be
# checked. If the predictions are a column $(n, 1)$ and the targets are $(n,)$, NumPy compares all $n^2$
# pairs without a word.


# %%
def residuals(prediction, target):
    """prediction - target as floats; ValueError if their shapes differ, because NumPy would broadcast."""
    if np.shape(prediction) != np.shape(target):
        raise ValueError(f"prediction has shape {np.shape(prediction)} but target {np.shape(target)}")
    if np.size(target) == 0:
        raise ValueError("there are no examples")
    prediction = np.asarray(prediction)
    target = np.asarray(target)
    return np.subtract(prediction, target, dtype=np.result_type(prediction, target, np.float32))


def mse(prediction, target):
    """Mean squared error and its gradient at the prediction; ValueError if the shapes differ."""
    residual = residuals(prediction, target)
    return float(np.mean(residual**2)), 2 / residual.size * residual


column = np.array([[1.0], [2.0], [3.0]])  # (3, 1)
row = np.array([1.0, 2.0, 3.0])  # (3,)
print("a perfect prediction, judged without the check:", np.mean((column - row) ** 2).round(3))
try:
    mse(column, row)
except ValueError as error:
    print("with the check:", error)

# %% [markdown]
# Is it true that the width does not matter? We predict the body mass of penguins from the length of their
# flippers, both counted from their averages, by a line through zero. For three widths we look for the
# slope with the smallest NLL, and compare it with the slope of the smallest MSE.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

species = labels  # (n,): further down, `labels` are those of digits
flipper = measurements[:, 2] - measurements[:, 2].mean()  # (n,) mm from average
mass = measurements[:, 3] - measurements[:, 3].mean()  # (n,) g from average


def gaussian_nll(prediction, target, sigma):
    """Mean negative log-likelihood (nats) of the targets under normal noise of width sigma, above zero."""
    if sigma <= 0:
        raise ValueError(f"the width must be above zero, got {sigma}")
    in_widths = residuals(prediction, target) / sigma
    return float(np.mean(0.5 * in_widths**2 + math.log(sigma * math.sqrt(2 * math.pi))))


slopes = np.linspace(0, 100, 401)  # g per mm
mse_curve = np.array([mse(slope * flipper, mass)[0] for slope in slopes])  # (401,)
best_slope = slopes[np.argmin(mse_curve)]
likeliest = {}  # sigma -> slope of the smallest NLL
for sigma in (200, 400, 800):
    nll_curve = np.array([gaussian_nll(slope * flipper, mass, sigma) for slope in slopes])  # (401,)
    likeliest[sigma] = slopes[np.argmin(nll_curve)]
    constant = math.log(sigma * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(nll_curve, mse_curve / (2 * sigma**2) + constant)
    print(f"width {sigma} g: likeliest slope {likeliest[sigma]:.2f} g/mm, least squares {best_slope:.2f}")

# %% [markdown]
# The likeliest slope is the same for all three widths, and it is that of least squares.
#
# ## One of several classes: cross-entropy
#
# A network gives each of $K$ classes a logit $z_k$, and softmax (5.2) makes probabilities of them. The
# likelihood of an example is the probability $p_y$ of its true class $y$, so its loss is $-\ln p_y$. The
# mean over a batch is the *cross-entropy* (3.2). It is measured in nats, the unit of natural logarithms.
#
# Computed in two steps this can fail, because an exponential overflows, or a probability is rounded to
# zero and has no logarithm. If we take the logarithm by hand first, nothing is lost. With the largest
# logit $m$,
#
# $$\ln p_k = \ln \frac{e^{z_k}}{\sum_j e^{z_j}} = (z_k - m) - \ln \sum_j e^{z_j - m} ,$$
#
# which is called the *log-sum-exp* form. For the gradient, the slope of $z_y$ along itself is $1$, and the
# slope of $\ln \sum_j e^{z_j}$ along $z_k$ is $p_k$. So with $t_k = 1$ for the true class and $0$ for the
# others, and divided by the number $B$ of examples because the loss is a mean,
#
# $$L = -\frac1B \sum_b \ln p_{b y_b}, \qquad
#   \frac{\partial L}{\partial z_{bk}} = \frac{p_{bk} - t_{bk}}{B} .$$


# %%
def log_softmax(logits):
    """ln of the softmax along the last axis, (…, K) -> (…, K), finite for any finite logits."""
    logits = np.asarray(logits)
    logits = logits.astype(np.result_type(logits, np.float32), copy=False)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def check_labels(logits, labels):
    """Labels as an array; ValueError if they are not whole numbers from 0 to K - 1, one for each row."""
    labels = np.asarray(labels)
    if np.ndim(logits) != 2 or labels.shape != np.shape(logits)[:1] or labels.size == 0:
        raise ValueError(
            f"logits have shape {np.shape(logits)} but labels {labels.shape}: need (B, K) and (B,)"
        )
    n_classes = np.shape(logits)[1]
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels must be whole numbers from 0 to {n_classes - 1}, got {np.unique(labels)}")
    return labels


def cross_entropy(logits, labels):
    """Mean of -ln(probability of the true class) (nats), and its gradient (B, K) at the logits.

    logits: (B, K), labels: (B,) of whole numbers 0 to K - 1. Raises ValueError for other shapes and labels.
    """
    labels = check_labels(logits, labels)
    rows = np.arange(len(labels))
    log_probabilities = log_softmax(logits)  # (B, K)
    loss = -np.mean(log_probabilities[rows, labels])
    grad_z = np.exp(log_probabilities)  # (B, K): the probabilities
    grad_z[rows, labels] -= 1
    return float(loss), grad_z / len(labels)


# %% [markdown]
# On paper: the logits $(\ln 1, \ln 2, \ln 5)$ give the probabilities $(\frac18, \frac28, \frac58)$. If the
# last class is true, the loss is $\ln \frac85$ and the gradient is $(\frac18, \frac28, -\frac38)$. A step
# against it lowers the wrong logits and raises the right one. We check this, then the gradient of random
# logits by central differences (2.3), and then a hopeless case.


# %%
def measured_gradient(f, x, h=1e-5):
    """Central differences of the number f(x) at the array x, in float64."""
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        gradient[index] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


loss, grad_z = cross_entropy(np.log([[1.0, 2.0, 5.0]]), [2])
print(f"on paper: loss {loss:.4f}, gradient {grad_z}")
np.testing.assert_allclose(loss, math.log(8 / 5))
np.testing.assert_allclose(grad_z, [[1 / 8, 2 / 8, -3 / 8]])

logits = rng.normal(size=(5, 4))
classes = rng.integers(4, size=5)
measured = measured_gradient(lambda z: cross_entropy(z, classes)[0], logits)
np.testing.assert_allclose(cross_entropy(logits, classes)[1], measured, atol=1e-9)
hopeless_loss, hopeless_gradient = cross_entropy([[1e4, -1e4]], [1])
print(f"hopeless: loss {hopeless_loss}, gradient {hopeless_gradient}")
assert hopeless_loss == 2e4 and hopeless_gradient.tolist() == [[1, -1]]

# %% [markdown]
# What does a model learn that knows nothing about a bird and may only give the same three probabilities to
# all of them? We compare the shares of the three species with a thousand random choices.

# %%
shares = np.bincount(species) / len(species)  # (3,)


def nll_of_constant(q):
    """Mean NLL (nats) of all penguins' species under the same probabilities q (3,)."""
    return float(np.mean(-np.log(q)[species]))  # (3,)[(n,)] -> (n,): for each bird that of its species


others = rng.dirichlet(np.ones(3), size=1000)  # (1000, 3): random probabilities
other_losses = [nll_of_constant(q) for q in others]
print(f"the shares {shares.round(3)}: {nll_of_constant(shares):.4f} nats")
print(f"the best of the others: {min(other_losses):.4f} nats")
print(f"a third each: {nll_of_constant(np.full(3, 1 / 3)):.4f} = ln 3")

# %% [markdown]
# None of the thousand does better than the shares themselves. So cross-entropy is smallest for
# probabilities that agree with the frequencies. For a network this means that, among inputs that it cannot
# tell apart, its loss is smallest if its probabilities are the shares of the classes among these inputs.
#
# ## Yes or no: binary cross-entropy
#
# With two classes one logit $z$ for yes is enough, because the other can be fixed at $0$: softmax of
# $(0, z)$ gives yes the probability $\sigma(z)$ (5.2). So this is cross-entropy with two classes, and its
# gradient must be $\sigma(z) - t$ for a target $t$ of $1$ or $0$. In the stable form,
#
# $$L = \max(0, z) - t z + \ln(1 + e^{-|z|}), \qquad \frac{\partial L}{\partial z} = \sigma(z) - t .$$


# %%
def sigmoid(z):
    """1 / (1 + exp(-z)) without overflow, as in lesson 5.2."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, small) / (1 + small)


def binary_cross_entropy(logits, targets):
    """Mean NLL (nats) of targets in [0, 1], and its gradient at the logits, of any one shape.

    Raises ValueError if the shapes differ or a target lies outside [0, 1].
    """
    if np.shape(logits) != np.shape(targets) or np.size(targets) == 0:
        raise ValueError(f"logits have shape {np.shape(logits)} but targets {np.shape(targets)}")
    if np.min(targets) < 0 or np.max(targets) > 1:
        raise ValueError(f"targets must lie in [0, 1], got {np.min(targets)} to {np.max(targets)}")
    z = np.asarray(logits)
    z = z.astype(np.result_type(z, np.float32), copy=False)
    loss = np.maximum(z, 0) - z * targets + np.log1p(np.exp(-np.abs(z)))
    return float(np.mean(loss)), ((sigmoid(z) - targets) / z.size).astype(z.dtype)


z = rng.normal(size=9)
t = rng.integers(2, size=9)
two_columns = np.column_stack([np.zeros(9), z])  # (9, 2)
loss, grad_z = binary_cross_entropy(z, t)
np.testing.assert_allclose(loss, cross_entropy(two_columns, t)[0], rtol=1e-12)
np.testing.assert_allclose(grad_z, cross_entropy(two_columns, t)[1][:, 1], rtol=1e-12)
print("one logit or two: the same loss and the same gradient")

# %% [markdown]
# ## A count: the Poisson loss
#
# How many birds visit a feeder in an hour? If visits come independently of each other, at a rate of
# $\lambda$ per hour, the number $y$ of visits has the *Poisson distribution*:
#
# $$P(y) = \frac{\lambda^y e^{-\lambda}}{y!} .$$
#
# The rate must be positive, so we let the network give its logarithm, $\lambda = e^z$. The negative
# logarithm is $\lambda - y \ln \lambda + \ln y!$, and the last term does not depend on $z$:
#
# $$L = \frac1n \sum_i (e^{z_i} - y_i z_i), \qquad
#   \frac{\partial L}{\partial z_i} = \frac{e^{z_i} - y_i}{n} .$$


# %%
def poisson_loss(log_rates, counts):
    """Mean of exp(z) - y z, the Poisson NLL without its constant, and its gradient at z, of any one shape.

    Raises ValueError if the shapes differ or a count is negative.
    """
    if np.shape(log_rates) != np.shape(counts) or np.size(counts) == 0:
        raise ValueError(f"log rates have shape {np.shape(log_rates)} but counts {np.shape(counts)}")
    if np.min(counts) < 0:
        raise ValueError(f"counts cannot be negative, got {np.min(counts)}")
    z = np.asarray(log_rates)
    z = z.astype(np.result_type(z, np.float32), copy=False)
    rates = np.exp(z)
    return float(np.mean(rates - counts * z)), ((rates - counts) / z.size).astype(z.dtype)


# %% [markdown]
# Does it make a difference, compared with squared error? The spread of a Poisson count grows with its
# rate: an hour with 100 visits is typically off by 10, one with 4 by 2. Squared error takes a miss of 10
# equally seriously in both. We simulate 50 hours with the rate $e^{b x}$, where $b = 4$ and $x$ between
# $0$ and $1$ is the amount of food, and estimate $b$ from them, with an unknown factor in front of the
# rate. For each $b$ on a grid both losses have a formula for the best factor, so no training is needed.
# Because the data are simulated we know the true answer, and we repeat the experiment 300 times.

# %%
true_b = 4.0
grid = np.linspace(true_b - 3, true_b + 3, 601)  # (601,): candidates for b
estimates = {"Poisson": [], "squared error": []}
for _ in range(300):
    food = rng.uniform(size=50)  # (50,)
    visits = rng.poisson(np.exp(true_b * food))  # (50,)
    growth = np.exp(grid[:, None] * food)  # (601, 1) * (50,) -> (601, 50)
    factor = visits.sum() / growth.sum(axis=1)  # (601,): makes the mean of the Poisson gradient zero
    rates = factor[:, None] * growth  # (601, 1) * (601, 50) -> (601, 50)
    estimates["Poisson"].append(grid[np.mean(rates - visits * np.log(rates), axis=1).argmin()])
    factor = growth @ visits / np.sum(growth**2, axis=1)  # (601, 50) @ (50,) -> (601,): least squares
    rates = factor[:, None] * growth  # (601, 1) * (601, 50) -> (601, 50)
    estimates["squared error"].append(grid[np.mean((rates - visits) ** 2, axis=1).argmin()])
for name, values in estimates.items():
    print(f"{name:20s}mean {np.mean(values):.3f}, standard deviation {np.std(values):.3f} (true: {true_b})")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(food, visits, "o", color="C0", markersize=4, label="the last 50 hours")
smooth = np.linspace(0, 1, 101)
left.plot(smooth, np.exp(true_b * smooth), "-", color="C1", label="true rate")
left.set(xlabel="amount of food", ylabel="visits in an hour", title="One of the 300 experiments")
left.legend()
bins = np.linspace(min(map(min, estimates.values())), max(map(max, estimates.values())), 30)
for (name, values), style in zip(estimates.items(), ("-", "--")):
    right.hist(values, bins=bins, histtype="step", linestyle=style, linewidth=1.5, label=name)
right.axvline(true_b, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="estimate of b", ylabel="experiments", title="300 experiments")
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# Both losses are right on average, but the estimates from squared error scatter about one and a half times
# as much. The spread of an estimate falls with the square root of the number of observations (2.8). So
# with the loss that fits the data, about half of the observations do the same work. With four other seeds
# the factor was between 1.4 and 1.6.
#
# ## What the four have in common
#
# We draw each loss for one example as a function of $z$, and its gradient. The targets are $y = 1$ for the
# number, yes, the first of three classes (the other two logits are $0$), and the count $1$. What do the
# four gradients have in common?

# %%
one_target = {
    "number 1, half of MSE": lambda z: tuple(0.5 * part for part in mse([z], [1.0])),
    "yes": lambda z: binary_cross_entropy([z], [1.0]),
    "first of three classes": lambda z: cross_entropy([[z, 0.0, 0.0]], [0]),
    "count 1": lambda z: poisson_loss([z], [1]),
}
zs = np.linspace(-4, 4, 161)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, loss_of), style in zip(one_target.items(), ("-", "--", "-.", ":")):
    values = [loss_of(z) for z in zs]
    left.plot(zs, [loss for loss, _ in values], style, label=name)
    right.plot(zs, [grad.ravel()[0] for _, grad in values], style, label=name)
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="network output z", ylabel="loss (nats)", title="The loss of one example", ylim=(-0.2, 6))
right.set(xlabel="network output z", ylabel="gradient at z", title="Its gradient", ylim=(-5, 5))
left.legend(loc="upper center", fontsize=8)
plt.show()

# %% [markdown]
# In the formulas all four gradients at $z$ are the same, but for the factor $2$ of the MSE: prediction
# minus target, where the prediction is the mean of the distribution, $z$, $\sigma(z)$, $p_k$ or $e^z$.
# That is why the loss and the last step of the network belong together. The curves on the right differ
# only in what the prediction can be. A probability is never wrong by more than one, so the gradients of
# the two cross-entropies stay between $-1$ and $0$; a number or a rate has no such limit.
#
# ## The same in PyTorch
#
# We compare every loss and its gradient with the library's, in float64, with logits up to ten thousand.
# Note that those which take $z$ itself say `with_logits` or `log_input` in their names, or, like
# `F.cross_entropy`, say nothing. Give them probabilities instead, and they compute something else without a
# warning.

# %%
numbers = rng.normal(scale=10, size=(64, 3))
targets = rng.normal(scale=10, size=(64, 3))
large_logits = rng.normal(scale=1e4, size=(64, 10))
classes = rng.integers(10, size=64)
log_rates = rng.normal(size=64)
counts = rng.poisson(3.0, size=64).astype(np.float64)
pairs = {  # name -> our loss, PyTorch's, the network's output, the target
    "MSE": (mse, F.mse_loss, numbers, targets),
    "cross-entropy": (cross_entropy, F.cross_entropy, large_logits, classes),
    "binary": (
        binary_cross_entropy,
        F.binary_cross_entropy_with_logits,
        large_logits[:, 0],
        rng.uniform(size=64),
    ),
    "Poisson": (poisson_loss, F.poisson_nll_loss, log_rates, counts),  # log_input=True is its default
}


def compare_with_torch(our_loss, torch_loss, prediction, target):
    """Differences from PyTorch of a loss and its gradient; raises if they are not tiny."""
    loss, gradient = our_loss(prediction, target)
    z = torch.from_numpy(prediction).requires_grad_()
    expected = torch_loss(z, torch.from_numpy(target))
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, z.grad, rtol=1e-10, atol=1e-12)
    return abs(loss - expected.item()), np.abs(gradient - z.grad.numpy()).max()


print(f"{'largest difference':20s}{'loss':>12s}{'gradient':>12s}")
for name, pair in pairs.items():
    loss_gap, gradient_gap = compare_with_torch(*pair)
    print(f"{name:20s}{loss_gap:12.1e}{gradient_gap:12.1e}")

# %% [markdown]
# ## What a loss that does not fit can cost
#
# Why not use the squared error of the probability, $(\sigma(z) - t)^2$, for yes or no? By the chain rule
# its gradient at $z$ is $2 (\sigma(z) - t)\, \sigma(z) (1 - \sigma(z))$. The last two factors are the
# slope of the sigmoid, which is nearly zero if the sigmoid is certain. If $\sigma(z) = 0.01$ and the
# target is $1$, the gradient of cross-entropy is $-0.99$, and that of squared error only about $-0.02$.
#
# So a model that is certain of the wrong answer should hardly learn. We start one neuron on Adélies and
# gentoos, by bill length and depth, with weights that are certain of the opposite of the truth, and train
# it with both losses. Will squared error recover if it gets enough steps?


# %%
def brier(logits, targets):
    """Mean squared error of the sigmoid and its gradient at the logits (half of Brier's score of 1950)."""
    p = sigmoid(np.asarray(logits))
    loss, gradient = mse(p, targets)
    return loss, gradient * p * (1 - p)


is_pair = species != SPECIES.index("Chinstrap")
is_gentoo = (species[is_pair] == SPECIES.index("Gentoo")).astype(np.float64)  # (n,)
bills = measurements[is_pair, :2]  # (n, 2)
bills = (bills - bills.mean(axis=0)) / bills.std(axis=0)

n_steps = 5000
learning_rate = 1.0
start_weight = np.array([-8.0, 8.0])
accuracy = {}  # name -> (n_steps,)
for name, loss_function in {"cross-entropy": binary_cross_entropy, "squared error": brier}.items():
    weight = start_weight
    bias = 0.0
    history = []
    for _ in range(n_steps):
        z = bills @ weight + bias  # (n, 2) @ (2,) -> (n,)
        history.append(np.mean((z > 0) == is_gentoo))
        _, grad_z = loss_function(z, is_gentoo)
        weight = weight - learning_rate * grad_z @ bills  # (n,) @ (n, 2) -> (2,)
        bias = bias - learning_rate * grad_z.sum()
    accuracy[name] = np.array(history)
    chosen = (0, 10, 100, 1000, n_steps - 1)
    print(f"{name:20s}" + "   ".join(f"step {step}: {history[step]:.1%}" for step in chosen))
print(f"always Adélie: {1 - is_gentoo.mean():.1%}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
zs = np.linspace(-10, 10, 401)
for (name, loss_function), style in zip(
    {"cross-entropy": binary_cross_entropy, "squared error": brier}.items(), ("-", "--")
):
    left.plot(zs, [-loss_function([z], [1.0])[1][0] for z in zs], style, label=name)
    right.semilogx(np.arange(1, n_steps + 1), accuracy[name], style, label=name)
left.axvspan(-10, -5, color="0.93", zorder=0)
left.text(-7.5, 0.5, "certain and\nwrong", ha="center")
left.set(xlabel="logit z of the true answer", ylabel="minus gradient", title="Gradient of one example")
left.legend(loc="upper right")
right.set(xlabel="step", ylabel="accuracy", title="One neuron from a wrong start", ylim=(-0.03, 1.03))
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# Cross-entropy turns the neuron round within a hundred steps. With squared error the neuron is right on no
# more birds than if it always named one species. The left panel shows the reason: where the neuron is
# certain and wrong, the gradient of squared error is nearly zero. (A run of 60,000 steps, or a rate ten or
# a hundred times as large, did not change that; only a thousand times the rate did.) Networks rarely start
# so certain of the wrong answer, and from an undecided start squared error can do as well (see below). With
# cross-entropy the start matters less.
#
# So here is which loss to take for which target:
#
# | the target is | last layer | loss |
# | --- | --- | --- |
# | a number | one output | MSE |
# | a number, with outliers among the data | one output | Huber or MAE (below) |
# | yes or no, or several independent yes or no | one logit for each | binary cross-entropy from logits |
# | one of $K$ classes | $K$ logits | cross-entropy from logits |
# | a count without an upper limit | one log rate | Poisson loss |
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert set(likeliest.values()) == {best_slope}, "for any width, least squares is likeliest"
assert nll_of_constant(shares) < min(other_losses), "no constant probabilities beat the shares"
spread = {name: np.std(values) for name, values in estimates.items()}
assert abs(np.mean(estimates["Poisson"]) - true_b) < 0.05, "the Poisson loss is right on average"
assert abs(np.mean(estimates["squared error"]) - true_b) < 0.1, "squared error is right on average, too"
assert 1.25 < spread["squared error"] / spread["Poisson"] < 1.8, "squared error scatters 1.5 times as much"
assert accuracy["cross-entropy"][100] > 0.95, "cross-entropy turns the neuron round within a hundred steps"
assert accuracy["squared error"].max() < 0.6, "squared error gets to the share of one species at best"
wrong_z = [math.log(0.01 / 0.99)]
assert math.isclose(binary_cross_entropy(wrong_z, [1.0])[1][0], -0.99), "cross-entropy has -0.99 there"
assert -0.02 < brier(wrong_z, [1.0])[1][0] < -0.019, "squared error has about -0.02 there"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It looks at outliers, at label smoothing (used again in 12.7), and at squared
# error from a fair start.
#
# ### Outliers
#
# A normal distribution gives points far out almost no probability, so squared error takes a far point very
# seriously. The *mean absolute error*, MAE, follows by the same recipe from noise with longer tails, the
# *Laplace distribution*, whose density falls like $e^{-|r|}$ with the residual $r = \hat y - y$. *Huber's
# loss* is squared near zero and straight beyond $\delta$:
#
# $$\text{MAE} = \frac1n \sum_i |r_i|, \qquad
#   \text{Huber} = \frac1n \sum_i \begin{cases} \frac12 r_i^2 & |r_i| \le \delta \\
#   \delta\, (|r_i| - \frac12 \delta) & \text{else.} \end{cases}$$
#
# Suppose that somebody types the mass of one penguin with a zero too many. Each loss describes all masses
# by the one number that makes it smallest. Which of the three numbers will move?


# %%
def mae(prediction, target):
    """Mean absolute error and its gradient at the prediction; ValueError if the shapes differ."""
    residual = residuals(prediction, target)
    return float(np.mean(np.abs(residual))), np.sign(residual) / residual.size


def huber(prediction, target, delta=1.0):
    """Huber's loss and its gradient at the prediction. Huber 1964.

    Raises ValueError if the shapes differ or delta is not above zero.
    """
    if delta <= 0:
        raise ValueError(f"delta must be above zero, got {delta}")
    residual = residuals(prediction, target)
    clipped = np.clip(residual, -delta, delta)  # the slope: the residual itself, up to delta
    return float(np.mean(clipped * (residual - 0.5 * clipped))), clipped / residual.size


compare_with_torch(mae, F.l1_loss, numbers, targets)
compare_with_torch(huber, F.huber_loss, numbers, targets)

grams = measurements[:, 3]
spoiled = np.where(np.arange(len(grams)) == 0, 10 * grams, grams)  # the first bird now weighs 37 kg
guesses = np.arange(3500.0, 5000.0)
best_guess = {}  # name -> best number for the clean and for the spoiled data
print(f"{'best single number':20s}{'clean (g)':>12s}{'typo (g)':>12s}{'moved (g)':>12s}")
for name, loss_function in {"MSE": mse, "MAE": mae, "Huber": lambda p, t: huber(p, t, delta=500.0)}.items():
    best_guess[name] = []
    for data in (grams, spoiled):
        guess_losses = [loss_function(np.full(len(data), guess), data)[0] for guess in guesses]
        best_guess[name].append(guesses[np.argmin(guess_losses)])
    clean, typo = best_guess[name]
    print(f"{name:20s}{clean:12.0f}{typo:12.0f}{typo - clean:12.0f}")

# %% [markdown]
# The MSE is smallest at the mean, which the typo drags along. The MAE is smallest at the median, which
# does not care how far away the heaviest bird is, and Huber's loss hardly moves either.
#
# ### Label smoothing
#
# With cross-entropy a network is never done, because the loss falls as long as the logit of the true class
# grows. *Label smoothing* takes a share $s$ of the target's one and spreads it evenly over all $K$ classes.
# The gradient, still probability minus target, is then zero at the probability $1 - s + s / K$ for the true
# class.


# %%
def smoothed_cross_entropy(logits, labels, smoothing):
    """Cross-entropy with the share `smoothing` of each target spread over all classes, and its gradient.

    Arguments as for `cross_entropy`; raises ValueError also for smoothing outside [0, 1].
    """
    labels = check_labels(logits, labels)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be between 0 and 1, got {smoothing}")
    log_probabilities = log_softmax(logits)  # (B, K)
    targets = np.full_like(log_probabilities, smoothing / log_probabilities.shape[1])  # (B, K)
    targets[np.arange(len(labels)), labels] += 1 - smoothing
    loss = -np.sum(targets * log_probabilities) / len(labels)
    return float(loss), (np.exp(log_probabilities) - targets) / len(labels)


compare_with_torch(
    lambda z, t: smoothed_cross_entropy(z, t, 0.1),
    lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1),
    large_logits,
    classes,
)
certain_enough = np.log([[0.925, 0.025, 0.025, 0.025]])  # 1 - 0.1 + 0.1 / 4, and 0.1 / 4 for the others
smoothed_gradient = smoothed_cross_entropy(certain_enough, [0], 0.1)[1]
print(f"largest gradient at a probability of 0.925: {np.abs(smoothed_gradient).max():.1e}")

# %% [markdown]
# ### Squared error from a fair start
#
# A network that starts undecided is another matter. The same network learns digits with cross-entropy, and
# with the squared error between its softmax and the target as a row of zeros with a one at the true class
# (a one-hot row). Each loss gets several learning rates, up to one that ruins it, and three starts, and
# its best rate is chosen on validation digits.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(images))
x_parts = torch.tensor(images[order], dtype=torch.float32).split([1000, 400, 397])
y_parts = torch.tensor(labels[order]).split([1000, 400, 397])


def train(loss_function, learning_rate, seed, n_epochs=6, batch_size=32):
    """A 64-64-10 network trained on digits; its accuracy on the training, validation and test part."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(x_parts[0])).split(batch_size):
            loss = loss_function(model(x_parts[0][batch]), y_parts[0][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        parts = zip(x_parts, y_parts)
        return [(model(x).argmax(dim=1) == y).float().mean().item() for x, y in parts]


def squared_error(logits, labels):
    """Mean squared difference between the softmax of the logits (B, 10) and the one-hot rows."""
    return F.mse_loss(logits.softmax(dim=1), F.one_hot(labels, 10).float())


validation = {}  # name -> (rates,), mean of three seeds
best_rate = {}
test_accuracies = {}  # name -> (three seeds,)
for name, loss_function, rates in (
    ("cross-entropy", F.cross_entropy, (0.03, 0.1, 0.3, 1.0, 3.0)),
    ("squared error", squared_error, (0.3, 1.0, 3.0, 10.0, 30.0)),
):
    # (5, 3, 3): rates, seeds, parts
    results = np.array([[train(loss_function, rate, seed) for seed in range(3)] for rate in rates])
    validation[name] = results[:, :, 1].mean(axis=1)
    best = int(validation[name].argmax())
    best_rate[name] = rates[best]
    test_accuracies[name] = results[best, :, 2]
    print(f"{name:20s}" + "  ".join(f"{r:g}: {share:.1%}" for r, share in zip(rates, validation[name])))
    print(
        f"{'':20s}best rate {rates[best]:g}, test accuracy "
        + ", ".join(f"{a:.1%}" for a in results[best, :, 2])
    )

# %% [markdown]
# At its best rate each does well, but squared error needs a rate that is many times larger. Its gradient is
# smaller, because it has a further factor of the size of $p (1 - p)$ and is a mean over ten outputs.

# %%
assert best_guess["MSE"][1] - best_guess["MSE"][0] > 50, "one typo moves the mean"
for name in ("MAE", "Huber"):
    assert abs(best_guess[name][1] - best_guess[name][0]) < 10, f"it hardly moves {name}'s number"
assert abs(best_guess["MSE"][1] - spoiled.mean()) <= 1, "MSE is smallest at the mean"
assert abs(best_guess["MAE"][1] - np.median(spoiled)) <= 1, "MAE is smallest at the median"
assert np.abs(smoothed_gradient).max() < 1e-12, "with smoothing, a finite logit is enough"
for name, accuracies in test_accuracies.items():
    assert accuracies.min() > 0.88, f"from a fair start {name} does well"
assert best_rate["squared error"] >= 10 * best_rate["cross-entropy"], "squared error needs a larger rate"

# %% [markdown]
# ## What to remember
#
# - Ask which distribution the target could have. The loss is the negative logarithm of the probability
#   that the model gives to what was seen.
# - Normal noise gives MSE, yes or no binary cross-entropy, classes cross-entropy, counts the Poisson loss.
# - With the fitting last step, the gradient at the network's output is prediction minus target, divided by
#   the number of examples.
# - Give losses logits, not probabilities, and shapes that match.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Start the penguin neuron less certain: `start_weight = np.array([-2.0, 2.0])`. Does squared error
#    recover now? Look at the last figure of the core.
# 2. Let all hours have nearly the same rate: `true_b = 0.5`. Should squared error still scatter more than
#    the Poisson loss? Look at the figure with the 300 experiments.
# 3. From a blank cell at the end: the squared error of the logarithms, $(z - \ln(1 + y))^2$, is often used
#    for counts. Estimate `true_b` with it in the same way (the best intercept is a mean) and compare its
#    mean and spread with those of the Poisson loss.
#
# ## Sources
#
# - C. M. Bishop, _Pattern Recognition and Machine Learning_, 2006, section 4.3.6: outputs and losses that
#   belong together.
# - I. Goodfellow, Y. Bengio, A. Courville, _Deep Learning_, 2016, sections 5.5 and 6.2: maximum
#   likelihood. Reproduced: "for any width, least squares is likeliest".
# - P. J. Huber, "Robust estimation of a location parameter", 1964. Reproduced: "it hardly moves".
# - G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.
# - C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, section 7: label
#   smoothing.
# - L. Hui, M. Belkin, "Evaluation of neural architectures trained with square loss vs cross-entropy in
#   classification tasks", 2021: squared error can keep up. Reproduced: "from a fair start".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020; E. Alpaydin, C. Kaynak, _Optical
#   recognition of handwritten digits_, UCI, 1998: the data.
