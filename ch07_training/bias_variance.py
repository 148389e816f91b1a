# %% [markdown]
# # 7.6 Bias and variance: two reasons for a large error, and what helps against each
#
# A network makes too many mistakes on new data. Should one collect more data, take a larger network, or
# regularize? Each of these costs days or money, and each is meant for only one of two kinds of error. A
# model can be too stiff to follow what is true, or so flexible that it follows the accidents of its
# training set. The first error is called *bias* (not the bias of a neuron, which lesson 1.2 introduced),
# the second *variance*, as for any spread (2.8). They look different in the curves that one has anyway,
# and this is usually what decides what to do next.
#
# **You will build** an instrument that measures both where the truth is known, learning curves that tell
# them apart where it is not, and a table from symptoms to remedies that is tested on two networks. **You
# need** validation sets (3.4), variance (2.8), least squares (2.5) and training loops (7.4). **It
# takes** about 20 seconds.

# %%
import csv
from datetime import date
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
# The truth is $4$. Three models of one kind, each trained on another sample of data, say $1$, $2$ and
# $3$. How far off are they, on average of the squares, and how much of it is common to all three?
#
# $$\begin{aligned}
#   \text{mean answer} \quad & (1 + 2 + 3) / 3 = 2 \\
#   \text{bias}^2 \quad & (2 - 4)^2 = 4 \\
#   \text{variance} \quad & \tfrac13 \left( (1 - 2)^2 + (2 - 2)^2 + (3 - 2)^2 \right) = \tfrac23 \\
#   \text{mean squared error} \quad & \tfrac13 \left( (1 - 4)^2 + (2 - 4)^2 + (3 - 4)^2 \right) = 4\tfrac23
# \end{aligned}$$
#
# The error is the sum of the other two. If the models are compared with new, noisy observations instead
# of the truth, the variance $\sigma^2$ of their noise is added. No model can avoid it, because the noise
# of an observation that it has not seen is independent of its answer, and variances of independent
# numbers add up (2.8). With $\hat y$ for a model's answer, $y$ for a new observation, and means over many
# training sets:
#
# $$\operatorname{mean}\,(\hat y - y)^2 =
#   \underbrace{(\operatorname{mean} \hat y - \text{truth})^2}_{\text{bias}^2} +
#   \underbrace{\operatorname{mean}\,(\hat y - \operatorname{mean} \hat y)^2}_{\text{variance}} + \sigma^2$$

# %%
paper_truth = 4.0
paper_answers = np.array([1.0, 2.0, 3.0])
paper_bias = (paper_answers.mean() - paper_truth) ** 2
paper_error = np.mean((paper_answers - paper_truth) ** 2)
print(f"bias² {paper_bias:.3f} + variance {paper_answers.var():.3f}, mean squared error {paper_error:.3f}")

# %% [markdown]
# ## A truth to aim at
#
# To measure bias one must know the truth, and real data do not tell it. So we make one out of real data,
# from the yearly rise and fall of carbon dioxide in the air, as the northern forests grow and shed their
# leaves. We fit a slow trend and three waves per year to the record of Mauna Loa, once, and keep the
# waves. From here on that curve _is_ the truth, and we add noise of our own.

# %%
with open(HERE / "data" / "co2.csv", encoding="utf-8") as file:
    weeks = [(row["date"], float(row["co2"])) for row in csv.DictReader(file) if row["co2"]]
days = [date(int(day[:4]), int(day[4:6]), int(day[6:])) for day, _ in weeks]
years = np.array([day.year + (day.timetuple().tm_yday - 1) / 365.25 for day in days])  # (n,)
co2 = np.array([value for _, value in weeks])  # (n,) in ppm


def waves(x):
    """Three cosines and three sines over a year, x from -1 (January) to 1 (December): (n,) -> (n, 6)."""
    angles = np.pi * (x + 1)
    return np.stack([f(k * angles) for k in (1, 2, 3) for f in (np.cos, np.sin)], axis=-1)


scaled = 2 * (years - years[0]) / (years[-1] - years[0]) - 1
trend = np.polynomial.legendre.legvander(scaled, 5)  # (n, 6): polynomials up to degree 5
design = np.concatenate([trend, waves(2 * (years % 1) - 1)], axis=1)  # (n, 12)
coefficients = np.linalg.lstsq(design, co2)[0]  # (12,)


def truth(x):
    """The seasonal part of CO2 in ppm at x in [-1, 1], elementwise."""
    return waves(x) @ coefficients[6:]  # (..., 6) @ (6,) -> (...)


print(f"{len(co2)} weeks, seasonal swing {np.ptp(truth(np.linspace(-1, 1, 400))):.1f} ppm")

# %% [markdown]
# The models are polynomials, fitted by least squares to one noisy measurement at each of 24 times of the
# year. Their *capacity*, how much they can follow, is the degree. (Legendre polynomials span the same
# functions as the powers of $x$ and keep the arithmetic accurate.)


# %%
def training_sets(n_sets, n_points, sigma, rng):
    """Times (n_points,) and, for each of n_sets, a noisy value at each: (n_sets, n_points)."""
    x = -1 + (2 * np.arange(n_points) + 1) / n_points
    return x, truth(x) + sigma * rng.normal(size=(n_sets, n_points))


def fit(x, y, degree):
    """Least-squares polynomials for each row of y: x (n,), y (S, n) -> coefficients (S, degree + 1).

    Raises ValueError if there are fewer points than coefficients.
    """
    if len(x) <= degree:
        raise ValueError(f"{len(x)} points do not determine a polynomial of degree {degree}")
    basis = np.polynomial.legendre.legvander(x, degree)  # (n, degree + 1)
    return np.linalg.lstsq(basis, y.T)[0].T  # (n, degree + 1), (n, S) -> (S, degree + 1)


def predict(weights, x):
    """weights (S, degree + 1), x (n,) -> predictions (S, n)."""
    return weights @ np.polynomial.legendre.legvander(x, weights.shape[1] - 1).T  # (S, d) @ (d, n) -> (S, n)


# %% [markdown]
# ## Measuring bias and variance
#
# Many training sets give many models. The distance of their mean from the truth is the bias, their
# scatter about that mean is the variance, both averaged over the year. How will each of the two change
# as the degree grows?


# %%
def decompose(predictions, target):
    """Squared bias and variance of predictions (S, n) around target (n,), averaged over n.

    The mean of S models is itself off by chance, by variance / S in the mean of the squares (2.8). That is
    subtracted from the squared bias, so a bias of zero is measured as a small number of either sign. Raises
    ValueError for fewer than two.
    """
    if len(predictions) < 2:
        raise ValueError(f"a variance needs at least two predictions, got {len(predictions)}")
    variance = predictions.var(axis=0, ddof=1)  # (n,)
    bias_squared = (predictions.mean(axis=0) - target) ** 2 - variance / len(predictions)  # (n,)
    return bias_squared.mean(), variance.mean()


SIGMA = 1.0
N_SETS = 200
N_POINTS = 24
degrees = list(range(12))
grid = np.linspace(-1, 1, 401)
parts = {}
new_errors = {}
print(f"{'degree':8s}{'bias²':>12s}{'variance':>12s}{'sum + σ²':>12s}{'on new data':>12s}")
for degree in degrees:
    predictions = predict(fit(*training_sets(N_SETS, N_POINTS, SIGMA, rng), degree), grid)  # (S, 401)
    bias_squared, variance = decompose(predictions, truth(grid))
    # what somebody measures who knows no truth: other training sets, and noisy observations at new times
    weights = fit(*training_sets(N_SETS, N_POINTS, SIGMA, rng), degree)  # (S, degree + 1)
    new_x = rng.uniform(-1, 1, size=2000)
    new_y = truth(new_x) + SIGMA * rng.normal(size=(N_SETS, 2000))  # (S, 2000)
    new_errors[degree] = np.mean((predict(weights, new_x) - new_y) ** 2)
    parts[degree] = {"bias²": bias_squared, "variance": variance, "sum": bias_squared + variance + SIGMA**2}
    row = parts[degree]
    print(f"{degree:<8d}{bias_squared:12.3f}{variance:12.3f}{row['sum']:12.3f}{new_errors[degree]:12.3f}")
best_degree = min(parts, key=lambda degree: parts[degree]["sum"])

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
x, y = training_sets(30, N_POINTS, SIGMA, np.random.default_rng(1))
for degree, color in ((11, "C1"), (1, "C2")):
    left.plot(grid, predict(fit(x, y, degree), grid).T, color=color, linewidth=0.4, alpha=0.6)
    left.plot([], [], color=color, label=f"30 fits of degree {degree}")
left.plot(grid, truth(grid), "k--", linewidth=1.5, label="truth")
left.set(xlabel="time of year, January to December", ylabel="CO2 above the trend (ppm)", ylim=(-7, 9))
left.set_title("Fits to 30 training sets")
left.legend(fontsize=8, loc="upper right")
for part, style in (("bias²", "o--"), ("variance", "s-.")):
    right.semilogy(degrees, [max(parts[degree][part], 1e-3) for degree in degrees], style, label=part)
right.semilogy(degrees, [parts[degree]["sum"] for degree in degrees], "-", color="k", label="sum with σ²")
right.semilogy(
    degrees, list(new_errors.values()), "x", color="C3", markersize=8, label="measured on new data"
)
right.axhline(SIGMA**2, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="degree", ylabel="squared error (ppm²)", title="Parts of the error")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# On the left the straight lines lie close together, all wrong in the same way: bias. The curves of degree
# 11 follow the truth on average but scatter around it: variance. On the right the bias falls with the
# degree until the polynomial can follow the truth (values below $0.001$ are drawn there, a slightly
# negative one is a measured zero), and the variance grows. Their sum with the noise is lowest in between.
# The crosses are mean squared errors on new data, measured without using the truth, and they lie on the
# curve of the sum. The grey line is the noise, below which no model can get.
#
# ## Telling them apart without the truth
#
# For real data there is no such decomposition. But one can watch the training and the validation error
# while the training set grows. What should a model with high bias do, and what one with high variance?
# Here for the straight line and for degree 11, in means of a hundred training sets.

# %%
sizes = (14, 20, 30, 50, 100, 300)
size_curves = {}
for degree in (1, 11):
    rows = []
    for size in sizes:
        x, y = training_sets(100, size, SIGMA, rng)
        weights = fit(x, y, degree)
        new_x = rng.uniform(-1, 1, size=1000)
        new_y = truth(new_x) + SIGMA * rng.normal(size=(100, 1000))
        training_error = np.mean((predict(weights, x) - y) ** 2)
        rows.append([training_error, np.mean((predict(weights, new_x) - new_y) ** 2)])
    size_curves[degree] = np.array(rows)  # (sizes, 2): training and validation error

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, degree in ((left, 1), (right, 11)):
    for column, style, name in ((0, "o-", "training"), (1, "s--", "validation")):
        ax.loglog(sizes, size_curves[degree][:, column], style, label=name)
    ax.axhline(SIGMA**2, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="training points", title=f"Degree {degree}", ylim=(0.05, 120))
    ax.set_xticks(sizes, sizes)
    ax.minorticks_off()
left.set_ylabel("squared error (ppm²)")
left.legend()
plt.show()

# %% [markdown]
# With high bias, called underfitting (3.6), both errors meet early and far above the noise: the model
# cannot even follow the data that it was trained on, and more of them change nothing. With high variance,
# overfitting (1.2), there is a wide gap between the two, and it closes as the data grow.
#
# ## Two networks
#
# Now we take a real task, the digits, and two networks. The narrow one has two hidden units and 600
# training images, the wide one has 128 hidden units and 150 images. First we look at their curves. (The
# images fit into memory and a step takes all of them, so no `DataLoader` is needed.) Which one underfits?

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
x_all = torch.from_numpy(images).float()  # (1797, 64)
y_all = torch.from_numpy(labels)  # (1797,)
N_POOL = 1200  # rows that may be used for training; the other 597 are for validation


def split(n_rows, seed):
    """Row numbers for training (n_rows,) and validation (597,): the same validation rows for one seed.

    Raises ValueError for no rows or more than N_POOL, which would be validation rows as well.
    """
    if not 0 < n_rows <= N_POOL:
        raise ValueError(f"n_rows must be from 1 to {N_POOL}, got {n_rows}")
    order = torch.randperm(len(x_all), generator=torch.Generator().manual_seed(seed))
    return order[:n_rows], order[N_POOL:]


def train(n_hidden, n_rows, seed, weight_decay=0.0, start=0, n_steps=150):
    """A trained network and, for every tenth step, its losses (n, 2) on training and validation rows.

    seed: which rows; start: which initial weights.
    """
    training, validation = split(n_rows, seed)
    torch.manual_seed(1000 * seed + start)
    model = nn.Sequential(nn.Linear(64, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=weight_decay)
    history = []
    for step in range(n_steps):
        loss = F.cross_entropy(model(x_all[training]), y_all[training])
        if step % 10 == 0:
            with torch.no_grad():
                validation_loss = F.cross_entropy(model(x_all[validation]), y_all[validation])
            history.append((loss.item(), validation_loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, np.array(history)


@torch.no_grad()
def error_rates(models, n_rows, seed):
    """Share of wrong answers on training and validation rows, after averaging the models' probabilities."""
    rates = []
    for rows in split(n_rows, seed):
        probabilities = sum(model(x_all[rows]).softmax(dim=1) for model in models)  # (n, 10)
        rates.append((probabilities.argmax(dim=1) != y_all[rows]).double().mean().item())
    return rates


SEEDS = (0, 1, 2, 3)
NETWORKS = {"narrow": (2, 600), "wide": (128, 150)}  # name: (hidden units, training rows)
histories = {}
error_tables = {}
for name, (n_hidden, n_rows) in NETWORKS.items():
    runs = [train(n_hidden, n_rows, seed) for seed in SEEDS]
    histories[name] = runs[0][1]
    error_tables[name] = np.array(
        [error_rates([model], n_rows, seed) for seed, (model, _) in enumerate(runs)]
    )
    training_error, validation_error = error_tables[name].mean(axis=0)
    print(f"{name:8s}error on training rows {training_error:.1%}, on validation rows {validation_error:.1%}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (name, history) in zip((left, right), histories.items()):
    ax.semilogy(10 * np.arange(len(history)), history[:, 0], "-", label="training")
    ax.semilogy(10 * np.arange(len(history)), history[:, 1], "--", label="validation")
    n_hidden, n_rows = NETWORKS[name]
    ax.set(xlabel="step", title=f"{name}: {n_hidden} hidden units, {n_rows} rows (one seed)")
left.set_ylabel("loss (nats)")
left.legend()
plt.show()

# %% [markdown]
# The narrow network cannot even read the images that it was trained on, and its two curves are high and
# not far apart: it underfits. The wide one reads every training image, while its validation loss stops
# falling far above: it overfits. The usual advice follows from the two parts of the error:
#
# | training error | validation error | what it means | try first |
# | --- | --- | --- | --- |
# | high | close to it | bias, or a fault (7.4) | a larger network, longer training |
# | low | much higher | variance | more data, regularization (8.1, 8.2), an average of networks |
# | high | much higher | both | a larger network first, then more data |
# | low | low | neither | nothing, but make sure that there is no leak (7.4) |
#
# Does it hold? We try all the remedies on both networks, the wrong ones as well, on four seeds each.

# %%
N_ENSEMBLE = 3
remedies = {}
print(f"{'validation error':16s}" + "".join(f"{name:>18s}" for name in NETWORKS) + "   (means of four seeds)")
for remedy in ("as it is", "1200 rows", "64 hidden units", "weight decay", "average of three"):
    row = []
    for name, (n_hidden, n_rows) in NETWORKS.items():
        rates = []
        for seed in SEEDS:
            rows = N_POOL if remedy == "1200 rows" else n_rows
            hidden = 64 if remedy == "64 hidden units" else n_hidden
            decay = 1.0 if remedy == "weight decay" else 0.0
            starts = range(N_ENSEMBLE if remedy == "average of three" else 1)
            models = [train(hidden, rows, seed, decay, start)[0] for start in starts]
            rates.append(error_rates(models, rows, seed)[1])
        remedies[name, remedy] = np.array(rates)  # (4,)
        row.append(f"{min(rates):8.1%} to {max(rates):.1%}")
    print(f"{remedy:16s}" + "".join(f"{text:>18s}" for text in row))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, name in ((left, "narrow"), (right, "wide")):
    shown = {key[1]: rates for key, rates in remedies.items() if key[0] == name}
    for i, rates in enumerate(shown.values()):
        ax.plot(rates, [i] * len(rates), "o", color="C0", fillstyle="none")
        ax.plot(rates.mean(), i, "s", color="C1")
    ax.axvline(shown["as it is"].mean(), color="0.7", linewidth=0.8, zorder=0)
    ax.set(yticks=range(len(shown)), yticklabels=list(shown), xlim=0)
    ax.set(xlabel="validation error", title=f"{name} network (square: mean)")
    ax.invert_yaxis()
plt.show()

# %% [markdown]
# For the narrow network the table is right: twice the data help little, a larger network helps at once,
# and weight decay makes it worse, as it makes a stiff model still stiffer. The average of three helps it,
# too, but that is no cure of variance: three narrow networks together are a larger model.
#
# For the wide network more data help most by far (it got eight times as many, and the narrow one twice as
# many). A smaller network does not help, although one might expect it from the polynomials. Weight decay
# and the average make no clear difference here, although they belong to the advice. (Strengths of weight
# decay from 0.01 to 3 gave the same within half a point on these seeds. What it is worth elsewhere is
# measured in lesson 8.2.) So the table tells what to try first, not what will help. Whether a remedy
# helps is one more question for the validation set.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert abs(paper_bias + paper_answers.var() - paper_error) < 1e-12, (
    "on paper the error is bias² plus variance"
)
for degree in degrees:
    total = parts[degree]["sum"]
    assert abs(total / new_errors[degree] - 1) < 0.15, f"degree {degree}: the sum is the error on new data"
assert parts[0]["bias²"] > 100 * max(parts[8]["bias²"], 1e-3), "bias falls with the degree"
variances = [parts[degree]["variance"] for degree in degrees]
assert np.all(np.diff(variances) > 0), "variance grows with the degree"
assert 4 <= best_degree <= 7, "the best degree lies in between"
line, flexible = size_curves[1], size_curves[11]
assert abs(line[-1, 0] - line[-1, 1]) < 0.3 and line[-1, 1] > 3, (
    "underfitting: both errors meet far above the noise"
)
assert flexible[1, 1] - flexible[1, 0] > 1, "overfitting: there is a wide gap"
assert flexible[-1, 1] < 1.2, "and it closes as the data grow"
narrow_training, narrow_validation = error_tables["narrow"].T  # (4,) each
wide_training, wide_validation = error_tables["wide"].T
assert narrow_training.min() > 0.25, "the narrow network cannot read its own training images"
assert np.all(narrow_validation < 2 * narrow_training), "and its validation error is not far away"
assert wide_training.max() == 0 < wide_validation.min(), (
    "the wide network reads all of its training images only"
)
narrow = {remedy: rates.mean() for (name, remedy), rates in remedies.items() if name == "narrow"}
wide = {remedy: rates.mean() for (name, remedy), rates in remedies.items() if name == "wide"}
assert narrow["1200 rows"] > 0.75 * narrow["as it is"], "more data help the narrow network little"
assert narrow["64 hidden units"] < 0.2 * narrow["as it is"], "a larger network helps it at once"
assert narrow["weight decay"] > narrow["as it is"], "weight decay makes it worse"
assert narrow["average of three"] < 0.6 * narrow["as it is"], (
    "three narrow networks together are a larger model"
)
assert wide["1200 rows"] < 0.5 * wide["as it is"], "more data help the wide network most"
for remedy in ("64 hidden units", "weight decay", "average of three"):
    assert wide[remedy] > 0.7 * wide["as it is"], f"{remedy}: no clear difference for the wide network"

# %% [markdown]
# ## Going further
#
# A penalty on polynomials, and models with more weights than data. Nothing later needs them.
#
# ### A penalty for the polynomials
#
# *Ridge regression* adds $\lambda |w|^2$ to the squared errors, which is weight decay (8.2) for least
# squares. With $B$ for the table of polynomials at the data's times, the best weights are $w = (B^\top B
# + \lambda I)^{-1} B^\top y$.


# %%
def ridge(x, y, degree, penalty):
    """As `fit`, with penalty · |w|² added to the sum of squared errors."""
    basis = np.polynomial.legendre.legvander(x, degree)  # (n, d)
    gram = basis.T @ basis + penalty * np.eye(degree + 1)  # (d, n) @ (n, d) -> (d, d)
    return np.linalg.solve(gram, basis.T @ y.T).T  # (d, d), (d, S) -> (S, d)


ridge_errors = {}
print(f"{'error, 16 points':20s}{'no penalty':>12s}{'penalty 1':>12s}")
for degree in (1, 11):
    x, y = training_sets(200, 16, SIGMA, rng)
    plain_error = np.mean((predict(fit(x, y, degree), grid) - truth(grid)) ** 2) + SIGMA**2
    ridge_error = np.mean((predict(ridge(x, y, degree, 1.0), grid) - truth(grid)) ** 2) + SIGMA**2
    ridge_errors[degree] = (plain_error, ridge_error)
    print(f"degree {degree:<13d}{plain_error:12.2f}{ridge_error:12.2f}")

# %% [markdown]
# Here the penalty does what the table promises: it helps the flexible model and not the straight line.
#
# ### More weights than data
#
# By the first figure one should stop adding capacity in time. But networks often have more weights than
# examples, fit all of them exactly, and work. The smallest such case: a layer of random, fixed ReLU
# features of a digit, and a linear layer on top that is fitted by least squares. With more features than
# rows infinitely many fits are perfect, and least squares takes the shortest, which is also where
# gradient descent from zero ends. We fit 200 digits with ever more features and take medians of five
# repetitions, once with right labels and once with a tenth of them wrong.


# %%
def minimum_norm(features, targets):
    """The shortest weights with the least squared error: (n, d), (n, k) -> (d, k)."""
    return np.linalg.lstsq(features, targets)[0]


small_features = rng.normal(size=(5, 12))
small_targets = rng.normal(size=(5, 2))
shortest = minimum_norm(small_features, small_targets)  # (12, 2)
h, t = torch.from_numpy(small_features), torch.from_numpy(small_targets)
w = torch.zeros(12, 2, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=1 / np.linalg.norm(small_features, 2) ** 2)
for _ in range(3000):
    optimizer.zero_grad()
    (((h @ w - t) ** 2).sum() / 2).backward()  # (5, 12) @ (12, 2) -> (5, 2)
    optimizer.step()
descended = np.abs(w.detach().numpy() - shortest).max()
print(f"gradient descent from zero ends {descended:.1e} from the shortest weights")
assert descended < 1e-8

N_ROWS = 200
WIDTHS = [10, 20, 40, 80, 120, 160, 200, 250, 320, 400, 800, 1600]


def double_descent(label_noise, seed):
    """Error rate, squared error and length of the weights for each width, after fitting N_ROWS digits."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    training, test = order[:N_ROWS], order[N_ROWS:1200]
    y = labels[training].copy()
    wrong = rng.random(N_ROWS) < label_noise
    y[wrong] = (y[wrong] + rng.integers(1, 10, size=wrong.sum())) % 10
    random_weight = rng.normal(size=(max(WIDTHS), 64)) / 8
    features = np.maximum(images @ random_weight.T, 0)  # (1797, 64) @ (64, 1600) -> (1797, 1600)
    one_hot = np.eye(10)
    found = []
    for width in WIDTHS:
        weight = minimum_norm(features[training, :width], one_hot[y])  # (width, 10)
        scores = features[test, :width] @ weight  # (1000, width) @ (width, 10) -> (1000, 10)
        error_rate = np.mean(scores.argmax(axis=1) != labels[test])
        squared = np.mean(np.sum((scores - one_hot[labels[test]]) ** 2, axis=1))
        found.append((error_rate, squared, np.linalg.norm(weight)))
    return np.array(found).T  # (3, widths)


descents = {}
for noise in (0.0, 0.1):
    descents[noise] = np.median([double_descent(noise, seed) for seed in range(5)], axis=0)  # (3, widths)
    error_rate, squared, length = descents[noise]
    before = error_rate[: WIDTHS.index(N_ROWS)].min()
    print(f"{noise:.0%} wrong labels: error rate {before:.1%} at best below {N_ROWS} features, ", end="")
    print(f"{error_rate.max():.1%} at worst, {error_rate[-1]:.1%} with {WIDTHS[-1]}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (noise, (error_rate, squared, _)), style in zip(descents.items(), ("o-", "s--")):
    left.loglog(WIDTHS, squared, style, label=f"{noise:.0%} wrong labels")
    right.semilogx(WIDTHS, error_rate, style, label=f"{noise:.0%} wrong labels")
for ax in (left, right):
    ax.axvline(N_ROWS, color="0.7", linewidth=0.8, zorder=0)
    ax.set_xlabel("random features (grey line: as many as rows)")
left.set(ylabel="squared error on test rows", title="Squared error")
right.set(ylabel="error rate on test rows", title="Error rate", ylim=0)
left.legend()
plt.show()

# %% [markdown]
# Up to the grey line this is the compromise from above, with its best point in the middle. At the line
# the fit has to meet every row with nothing to spare, and its weights become huge. Beyond it there are
# many perfect fits, and the shortest of them gets shorter and smoother as features are added. The last
# point lies below the best one on the left. This is *double descent*. Something like it may be a reason
# why very large networks work, although they can fit all their data. Wrong labels still cost at every
# width.

# %%
assert ridge_errors[11][1] < 0.8 * ridge_errors[11][0], "the penalty helps the flexible polynomial"
assert ridge_errors[1][1] > 0.9 * ridge_errors[1][0], "and not the straight line"
for error_rate, squared, length in descents.values():
    assert WIDTHS[int(np.argmax(squared))] == N_ROWS, "the peak is where there are as many features as rows"
    assert error_rate[-1] < error_rate[: WIDTHS.index(N_ROWS)].min(), (
        "the last point is below the best on the left"
    )
    assert length[-1] < 0.1 * length.max(), "beyond the peak the weights get shorter"
assert np.all(descents[0.1][0][3:] > descents[0.0][0][3:]), "wrong labels cost at every larger width"

# %% [markdown]
# ## What to remember
#
# - Expected error = bias² + variance + noise. Capacity lowers the first and raises the second; nothing
#   lowers the third.
# - Both errors high and close together: underfitting, so take a larger model. Training error low and
#   validation error high: overfitting, so get more data first.
# - A remedy against the wrong one does nothing or harm. Whether the right one helps has to be measured on
#   the validation set.
# - Beyond as many features as rows, the shortest perfect fit can get better again.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `SIGMA = 0.2`. Which degree has the lowest sum now, and why? Look at the first figure.
# 2. Train the narrow network on as few rows as the wide one: `"narrow": (2, 150)`. Which row of the
#    table does it belong to now? Look at the third figure and the line printed above it.
# 3. From a blank cell after the one that defines `error_rates`: train the wide network for seed 0 on 150,
#    300, 600 and 1,200 rows, and print its training and validation error for each. Compare with the right
#    panel of the second figure: at how many rows is half of the gap closed?
#
# ## Sources
#
# - S. Geman, E. Bienenstock, R. Doursat, "Neural networks and the bias/variance dilemma", Neural
#   Computation 1992, section 2. Reproduced: "the best degree lies in between".
# - A. Ng, _Machine learning yearning_, 2018, chapters 20 to 32: bias, variance and what to do next.
# - M. Belkin, D. Hsu, S. Ma, S. Mandal, "Reconciling modern machine-learning practice and the classical
#   bias-variance trade-off", PNAS 2019. Reproduced: "the last point is below the best on the left".
# - P. Nakkiran et al., "Deep double descent: where bigger models and more data hurt", ICLR 2020.
# - C. Keeling et al., weekly CO2 at Mauna Loa since 1958: the record behind the truth, public domain.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the digits, CC BY 4.0.
