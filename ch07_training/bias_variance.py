# %% [markdown]
# # 7.6 Bias and variance: two ways to miss, and a third that nobody can help
#
# An archer can miss because the sight is bent: all arrows land together, beside the mark. Or because the
# hand trembles: they land around the mark, far apart. And on a windy day even a perfect shot misses a
# little. A model misses in the same three ways, and the cures for one are no cures for the other.
#
# **You will build** an instrument that measures the three parts on a known truth, learning curves that
# tell them apart where the truth is unknown, and a model with more weights than data that breaks the
# rule. **You need** evaluation (3.4), statistics (2.8) and least squares (2.5).

# %%
import csv
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# The truth is $4$. Trained on three samples of data, a model says $1$, $2$ and $3$. The mean of its
# answers is $2$, so the *bias* is $2 - 4 = -2$ and its square $4$. Around their mean the answers scatter
# with the *variance* $\frac13 (1 + 0 + 1) = \frac23$. The mean squared miss is $\frac13 (9 + 4 + 1) =
# 4\frac23$: the sum of both. Against noisy observations of the truth, the noise's own variance $\sigma^2$
# comes on top. With $\hat y$ for an answer, $y$ for an observation, $\mathbb E$ for the mean and
# $\operatorname{Var}$ for the variance over many samples:
#
# $$\mathbb E\,(\hat y - y)^2 = \underbrace{(\mathbb E\,\hat y - \text{truth})^2}_{\text{bias}^2} +
#   \underbrace{\operatorname{Var} \hat y}_{\text{variance}} + \sigma^2$$

# %%
truth_value, answers = 4.0, np.array([1.0, 2.0, 3.0])
bias_squared, variance = (answers.mean() - truth_value) ** 2, answers.var()
miss = np.mean((answers - truth_value) ** 2)
print(f"bias² {bias_squared:.3f} + variance {variance:.3f} = {bias_squared + variance:.3f}, miss {miss:.3f}")
assert abs(bias_squared + variance - miss) < 1e-12 and bias_squared == 4

# %% [markdown]
# ## A truth to aim at
#
# To measure bias one must know the truth, which real data never tell. So we make one from real data: the
# yearly breath of the northern forests in the carbon dioxide at Mauna Loa. We fit a slow trend and three
# waves a year to the record, once, and keep the waves. From here on that curve *is* the truth, and the
# noise is ours.

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
trend = np.polynomial.legendre.legvander(scaled, 5)  # (n, 6)
design = np.concatenate([trend, waves(2 * (years % 1) - 1)], axis=1)  # (n, 12)
coefficients = np.linalg.lstsq(design, co2)[0]


def truth(x):
    """The seasonal part of CO2 in ppm at x in [-1, 1], elementwise."""
    return waves(x) @ coefficients[6:]  # (..., 6) @ (6,) -> (...)


swing = np.ptp(truth(np.linspace(-1, 1, 400)))
unexplained = np.std(co2 - design @ coefficients)  # (n, 12) @ (12,) -> (n,)
print(f"{len(co2)} weeks, seasonal swing {swing:.1f} ppm, unexplained {unexplained:.2f} ppm")
assert 5 < swing < 7 and unexplained < 1

# %% [markdown]
# ## Models of growing capacity
#
# A training set has one noisy measurement at each of a few evenly spaced times of the year. The models
# are polynomials, fitted by least squares; the *degree* is their capacity. Legendre polynomials span the
# same functions as powers of $x$ and keep the arithmetic accurate.


# %%
def training_sets(n_sets, n_points, sigma, rng):
    """Times (n_points,) and n_sets times as many noisy values: (n_sets, n_points)."""
    x = -1 + (2 * np.arange(n_points) + 1) / n_points
    return x, truth(x) + sigma * rng.normal(size=(n_sets, n_points))


def fit(x, y, degree):
    """Least-squares polynomials for each row of y: x (n,), y (S, n) -> coefficients (S, degree + 1).

    Raises ValueError where there are fewer points than coefficients.
    """
    if len(x) <= degree:
        raise ValueError(f"{len(x)} points do not determine a polynomial of degree {degree}")
    basis = np.polynomial.legendre.legvander(x, degree)  # (n, degree + 1)
    return np.linalg.lstsq(basis, y.T)[0].T  # (n, degree + 1), (n, S) -> (S, degree + 1)


def predict(weights, x):
    """weights (S, degree + 1), x (n,) or (S, n) -> predictions (S, n)."""
    basis = np.polynomial.legendre.legvander(x, weights.shape[1] - 1)  # (n, d) or (S, n, d)
    return (basis @ weights[..., None])[..., 0] if basis.ndim == 3 else weights @ basis.T  # (S, n)


# %% [markdown]
# ## Measuring the three parts
#
# Many training sets give many models. Their mean prediction against the truth is the bias, their scatter
# the variance, both averaged over the year. The mean of finitely many models still trembles a little,
# which would count as bias, so we take its share off.


# %%
def decompose(predictions, target):
    """Squared bias and variance of predictions (S, n) around target (n,), averaged over n.

    Both without the error of finite S: the variance divides by S - 1, and variance / S comes off bias².
    """
    variance = predictions.var(axis=0, ddof=1)  # (n,)
    bias_squared = (predictions.mean(axis=0) - target) ** 2 - variance / len(predictions)  # (n,)
    return bias_squared.mean(), variance.mean()


n_sets, n_points, sigma = 200, 24, 1.0
grid = np.linspace(-1, 1, 401)
degrees = list(range(12))
parts = {}
for degree in degrees:
    predictions = predict(fit(*training_sets(n_sets, n_points, sigma, rng), degree), grid)  # (S, 401)
    each = np.mean((predictions - truth(grid)) ** 2, axis=1)  # (S,): one number a model, for its spread
    parts[degree] = *decompose(predictions, truth(grid)), each.std(ddof=1) / np.sqrt(n_sets)

# %% [markdown]
# The sum must be the error that a stranger would measure who knows nothing of truth, bias or variance:
# fresh training sets, fresh models, and fresh noisy observations at random times. Two independent
# measurements agree if they differ by less than four of their common standard errors.

# %%
stranger = {}
print(f"{'degree':8s}{'bias²':>12s}{'variance':>12s}{'sum + σ²':>12s}{'measured':>12s}{'error':>12s}")
for degree, (bias_squared, variance, error) in parts.items():
    weights = fit(*training_sets(n_sets, n_points, sigma, rng), degree)
    x = rng.uniform(-1, 1, size=(n_sets, 400))
    y = truth(x) + sigma * rng.normal(size=x.shape)
    each = np.mean((predict(weights, x) - y) ** 2, axis=1)  # (S,)
    stranger[degree], other_error = each.mean(), each.std(ddof=1) / np.sqrt(n_sets)
    together, common = bias_squared + variance + sigma**2, np.hypot(error, other_error)
    print(
        f"{degree:<8d}{bias_squared:12.3f}{variance:12.3f}{together:12.3f}{stranger[degree]:12.3f}{common:12.3f}"
    )
    assert abs(together - stranger[degree]) < 4 * common and common < 0.05 * together

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
x, y = training_sets(30, n_points, sigma, np.random.default_rng(1))
for degree, color in ((11, "C1"), (1, "C2")):
    left.plot(grid, predict(fit(x, y, degree), grid).T, color=color, linewidth=0.4, alpha=0.6)
    left.plot([], [], color=color, label=f"30 fits of degree {degree}")
left.plot(grid, truth(grid), "k--", linewidth=1.5, label="truth")
left.set(xlabel="time of year, January to December", ylabel="CO2 above the trend (ppm)", ylim=(-7, 7))
left.set_title("A bent sight and a trembling hand")
left.legend(fontsize=8)
for i, (name, style) in enumerate((("bias² (0.001 if lower)", "o--"), ("variance", "s-."))):
    right.semilogy(degrees, [max(parts[degree][i], 1e-3) for degree in degrees], style, label=name)
totals = [sum(parts[degree][:2]) + sigma**2 for degree in degrees]
right.semilogy(degrees, totals, "-", color="k", label="bias² + variance + σ²")
right.semilogy(degrees, list(stranger.values()), "x", color="C3", markersize=8, label="measured error")
right.axhline(sigma**2, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="degree", ylabel="squared error (ppm²)", title="The best degree is a compromise")
right.legend(fontsize=8)
plt.show()

best_degree = degrees[int(np.argmin(totals))]
print(f"lowest sum at degree {best_degree}")
assert 4 <= best_degree <= 7 and totals[0] > 2 * min(totals) and totals[-1] > 1.2 * min(totals)

# %% [markdown]
# ## Telling them apart without the truth
#
# Real data have no known truth. They do have *learning curves*: training and validation error as the
# training set grows. High bias, or *underfitting*: both errors meet early, high up. High variance, or
# *overfitting*: a wide gap that closes as data come in.

# %%
sizes = (14, 20, 30, 50, 100, 300)
curves = {}
for degree in (1, 11):
    rows = []
    for size in sizes:
        x, y = training_sets(100, size, sigma, rng)
        weights = fit(x, y, degree)
        fresh_x = rng.uniform(-1, 1, size=(100, 200))
        fresh_y = truth(fresh_x) + sigma * rng.normal(size=fresh_x.shape)
        rows.append(
            [np.mean((predict(weights, x) - y) ** 2), np.mean((predict(weights, fresh_x) - fresh_y) ** 2)]
        )
    curves[degree] = np.array(rows)  # (sizes, 2): training and validation error

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, degree, finding in ((left, 1, "stuck together, high up"), (right, 11, "a gap that data close")):
    for column, style, name in ((0, "o-", "training"), (1, "s--", "validation")):
        ax.loglog(sizes, curves[degree][:, column], style, label=name)
    ax.axhline(sigma**2, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="training points", title=f"Degree {degree}: {finding}", ylim=(0.05, 120))
    ax.set_xticks(sizes, sizes)
    ax.minorticks_off()
left.set_ylabel("squared error (ppm²)")
left.legend()
plt.show()

# %% [markdown]
# ## Does the advice work?
#
# The usual advice: against variance more data or a penalty on large weights, against bias more capacity.
# We give each patient both medicines. The penalty is *ridge regression*: it adds $\lambda |w|^2$ to the
# squared errors, and with $B$ for the table of polynomials at the data's times the solution becomes
#
# $$w = (B^\top B + \lambda I)^{-1} B^\top y .$$


# %%
def ridge(x, y, degree, penalty):
    """As `fit`, with penalty · |w|² added to the sum of squared errors."""
    basis = np.polynomial.legendre.legvander(x, degree)  # (n, d)
    gram = basis.T @ basis + penalty * np.eye(degree + 1)  # (d, n) @ (n, d) -> (d, d)
    return np.linalg.solve(gram, basis.T @ y.T).T  # (d, d), (d, S) -> (S, d)


def error_of(make_weights, n_points, degree):
    """Error over the year, noise included, of 200 models: make_weights(x, y, degree) -> weights."""
    x, y = training_sets(200, n_points, sigma, rng)
    return np.mean((predict(make_weights(x, y, degree), grid) - truth(grid)) ** 2) + sigma**2


treatments = {}
print(f"{'':20s}{'untreated':>12s}{'more data':>12s}{'penalty':>12s}{'degree 6':>12s}")
for name, degree in (("high bias, 1", 1), ("high variance, 11", 11)):
    treatments[name] = (
        error_of(fit, 16, degree),
        error_of(fit, 320, degree),
        error_of(lambda x, y, degree: ridge(x, y, degree, 1.0), 16, degree),
        error_of(fit, 16, 6),
    )
    print(f"{name:20s}" + "".join(f"{error:12.2f}" for error in treatments[name]))
biased, trembling = treatments["high bias, 1"], treatments["high variance, 11"]
assert biased[1] > 0.9 * biased[0] and trembling[1] < 0.6 * trembling[0]
assert biased[2] > 0.9 * biased[0] and trembling[2] < 0.8 * trembling[0]
assert biased[3] < 0.6 * biased[0]

# %% [markdown]
# More data did next to nothing for the straight line, and a lot for degree 11; so did the penalty.
# Capacity is what helps the line. Knowing which patient one has is worth more than any medicine.
#
# ## Past the end of the curve
#
# The compromise says: stop adding capacity in time. Networks do not follow: they often have more
# weights than examples, fit all of them exactly, and work. We look at the smallest such case. A network
# with random, fixed first-layer weights and ReLU is linear in what is left to fit. With fewer weights
# than rows there is one best fit; with more, infinitely many are perfect, and least squares takes the
# shortest:
#
# $$w = H^\top (H H^\top)^{-1} y, \qquad H: \text{rows} \times \text{features} .$$

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)


def minimum_norm(features, targets):
    """The shortest weights with the least squared error: (n, d), (n, k) -> (d, k)."""
    return np.linalg.lstsq(features, targets)[0]


features, targets = rng.normal(size=(5, 12)), rng.normal(size=(5, 2))
shortest = minimum_norm(features, targets)
np.testing.assert_allclose(features.T @ np.linalg.solve(features @ features.T, targets), shortest)  # (12, 2)
nothing_seen = np.linalg.svd(features)[2][5:]  # (7, 12): directions that no row notices
other = shortest + nothing_seen.T @ rng.normal(size=(7, 2))  # (12, 7) @ (7, 2) -> (12, 2)
print(f"both fit exactly; lengths {np.linalg.norm(shortest):.2f} and {np.linalg.norm(other):.2f}")
np.testing.assert_allclose(features @ other, targets)
assert np.linalg.norm(other) > np.linalg.norm(shortest)

# %% [markdown]
# ## The same in PyTorch
#
# Why the shortest? Because gradient descent from zero finds it: every gradient is a combination of rows,
# so the weights never leave the space that the rows span. `torch.optim.SGD` on the same numbers arrives
# at the same weights, and so does `torch.linalg.lstsq`.

# %%
h, t = torch.from_numpy(features), torch.from_numpy(targets)
w = torch.zeros(12, 2, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=1 / np.linalg.norm(features, 2) ** 2)
for _ in range(3000):
    loss = ((h @ w - t) ** 2).sum() / 2  # (5, 12) @ (12, 2) -> (5, 2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
library = torch.linalg.lstsq(h, t, driver="gelsd").solution  # (12, 2)
largest = np.abs(w.detach().numpy() - shortest).max(), np.abs(library.numpy() - shortest).max()
print(f"from gradient descent {largest[0]:.1e}, from torch.linalg.lstsq {largest[1]:.1e}")
assert max(largest) < 1e-8

# %% [markdown]
# ## Double descent
#
# We fit a few digits with a growing number of features, repeat each experiment with fresh rows and fresh
# features, and show medians. A second time somebody mislabels a tenth of the training rows.

# %%
n_rows = 200
widths = [10, 20, 40, 80, 120, 160, 200, 250, 320, 400, 800, 1600, 3200]


def double_descent(label_noise, seed):
    """Test error rate, squared error and length of the weights for each width, after fitting n_rows."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    train, test = order[:n_rows], order[n_rows:1200]
    y = labels[train].copy()
    wrong = rng.random(n_rows) < label_noise
    y[wrong] = (y[wrong] + rng.integers(1, 10, size=wrong.sum())) % 10
    random_weight = rng.normal(size=(max(widths), 64)) / 8
    features = np.maximum(images @ random_weight.T, 0)  # (1797, 64) @ (64, 3200) -> (1797, 3200)
    error_rates, squared, lengths = [], [], []
    for width in widths:
        weight = minimum_norm(features[train, :width], np.eye(10)[y])  # (width, 10)
        scores = features[test, :width] @ weight  # (1000, width) @ (width, 10) -> (1000, 10)
        error_rates.append(np.mean(scores.argmax(axis=1) != labels[test]))
        squared.append(np.mean(np.sum((scores - np.eye(10)[labels[test]]) ** 2, axis=1)))
        lengths.append(np.linalg.norm(weight))
    return error_rates, squared, lengths


descents = {
    noise: np.median([double_descent(noise, seed) for seed in range(5)], axis=0) for noise in (0.0, 0.1)
}  # each (3, widths)

# %%
for noise, (error_rates, squared, lengths) in descents.items():
    classical = error_rates[: widths.index(n_rows)].min()
    peak = widths[int(np.argmax(squared))]
    print(f"label noise {noise:.0%}: peak at {peak} features; error rate {classical:.1%} at best before it,")
    print(f"{error_rates[-1]:.1%} at {widths[-1]}; weights {lengths.max():.1f} and {lengths[-1]:.1f} long")
    assert peak == n_rows and error_rates[-1] < classical
    assert widths[int(np.argmax(lengths))] == n_rows and lengths[-1] < 0.1 * lengths.max()

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (noise, (error_rates, squared, _)), style in zip(descents.items(), ("o-", "s--")):
    left.loglog(widths, squared, style, label=f"{noise:.0%} wrong labels")
    right.semilogx(widths, error_rates, style, label=f"{noise:.0%} wrong labels")
for ax in (left, right):
    ax.axvline(n_rows, color="0.7", linewidth=0.8, zorder=0)
    ax.set_xlabel("random features (grey: as many as rows)")
left.set(ylabel="squared error on test rows", title="The peak stands where features equal rows")
right.set(ylabel="error rate on test rows", title="The last point lies below the classical best", ylim=0)
left.legend()
plt.show()

# %% [markdown]
# Up to the number of rows this is the compromise from before, with its best point in the middle. At that
# number the fit has to hit every row with nothing to spare, and its weights become huge. Beyond it the
# shortest of many perfect fits gets shorter and smoother. This *double descent* is why large networks are
# not hopeless; it does not repeal the rest, as the mislabelled rows show: they still cost.
#
# ## What to remember
#
# - Error = bias² + variance + noise. Capacity trades the first for the second; nothing touches the third.
# - Without the truth, learning curves tell: errors that meet high up mean bias, a gap means variance.
# - More data and penalties cure variance, capacity cures bias. Neither medicine works for the other.
# - Beyond as many features as rows, the shortest perfect fit gets better again.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Set `sigma` to 0.2. Which degree is best now, and why?
# 2. Give degree 11 random times instead of even ones. What happens to the variance?
# 3. Add a small ridge penalty to the random features. What becomes of the peak?
#
# ## Sources
#
# - S. Geman, E. Bienenstock, R. Doursat, "Neural networks and the bias/variance dilemma", 1992, section
#   2.
# - M. Belkin, D. Hsu, S. Ma, S. Mandal, "Reconciling modern machine-learning practice and the classical
#   bias-variance trade-off", PNAS 2019, random ReLU features.
# - P. Nakkiran et al., "Deep double descent", ICLR 2020: the same with label noise and deep networks.
# - C. Keeling et al., weekly CO2 at Mauna Loa since 1958: the record behind the truth, public domain.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the digits, CC BY 4.0.
