# %% [markdown]
# # 2.8 Statistics and probability: what a handful of birds can tell
#
# You want to know how heavy penguins are, and you have caught ten. Their average is not the average of
# all penguins, and ten others would have given another one. How far off is it likely to be? And if a bird
# has long flippers, how sure are you of its species? A network has the same questions: it sees a handful
# of examples and must speak about all.
#
# **You will build** the mean, the spread and the correlation, a test of how much they wobble, Bayes' rule
# on a real table, and a measure of surprise that later becomes the loss of every classifier. **You need**
# dot products (2.1) and least squares (2.5).

# %%
import csv
import math
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Three birds weigh $2$, $4$ and $9$. Their *mean* is $15 / 3 = 5$, the point where a ruler with three
# equal weights at these marks would balance. They differ from it by $-3$, $-1$ and $4$. The mean of the
# squared differences, $(9 + 1 + 16) / 3 = 26/3$, is the *variance*, and its root, about $2.9$, the
# *standard deviation*: a typical distance from the mean, in the unit of the data.


# %%
def mean(values):
    """Balance point of `values`; raises ValueError where there are none."""
    if len(values) == 0:
        raise ValueError("no values have no mean")
    return sum(values) / len(values)


def variance(values, correction=0):
    """Sum of squared differences from the mean over n − correction; ValueError where that is not positive."""
    if len(values) <= correction:
        raise ValueError(f"{len(values)} values are too few for a correction of {correction}")
    center = mean(values)
    return sum((value - center) ** 2 for value in values) / (len(values) - correction)


birds = [2, 4, 9]
print(
    f"mean {mean(birds)}   variance {variance(birds):.3f}   standard deviation {variance(birds) ** 0.5:.3f}"
)
assert mean(birds) == 5 and math.isclose(variance(birds), 26 / 3)

# %% [markdown]
# There is a shortcut, mean of squares minus square of mean, which needs the data only once. It is a trap.
# Far from zero it subtracts two huge, nearly equal numbers, as in lesson 2.3, and keeps the rounding.

# %%
far = np.array([2.0, 4.0, 9.0]) + 1e9  # (3,): the same birds, weighed together with a mountain
shortcut = np.mean(far**2) - np.mean(far) ** 2
print(f"variance by the definition {variance(far):.3f}, by the shortcut {shortcut:.3f}")
assert math.isclose(variance(far), 26 / 3) and abs(shortcut - 26 / 3) > 1

# %% [markdown]
# ## Penguins, one species at a time
#
# Now the real ones. From here NumPy computes, after we have seen that it agrees with us on every column.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

names, markers = ("Adélie", "chinstrap", "gentoo"), "o^s"
for column in measurements.T:
    np.testing.assert_allclose([mean(column), variance(column)], [column.mean(), column.var()], rtol=1e-10)
bill_length, bill_depth, flipper, mass = measurements.T  # each (n,)
print(f"{'flipper (mm)':20s}{'birds':>12s}{'mean':>12s}{'std':>12s}")
for k, name in enumerate(names):
    some = flipper[labels == k]  # (n_k,)
    print(f"{name:20s}{len(some):12d}{some.mean():12.1f}{some.std():12.1f}")

# %% [markdown]
# ## Together or against: covariance and correlation
#
# Do birds with long bills have deep bills? Multiply each bird's two differences from the mean: the
# product is positive if both are above or both below. Its mean is the *covariance*. Divided by both
# standard deviations it is the *correlation*, from $-1$ to $1$. You know it already: it is the cosine of
# the angle (2.1) between the two columns, once their means are taken off.
#
# $$\operatorname{cov}(x, y) = \frac1n \sum_i (x_i - \bar x)(y_i - \bar y), \qquad
#   r = \frac{\operatorname{cov}(x, y)}{\sigma_x\, \sigma_y} .$$


# %%
def covariance(x, y, correction=0):
    """Sum of products of the differences from the mean over n − correction.

    Raises ValueError where x and y differ in length or n − correction is not positive.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values cannot vary together with {len(y)}")
    if len(x) <= correction:
        raise ValueError(f"{len(x)} values are too few for a correction of {correction}")
    x_mean, y_mean = mean(x), mean(y)
    return sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y)) / (len(x) - correction)


def correlation(x, y):
    """Covariance in units of both standard deviations, from -1 to 1; ValueError where one of them is zero."""
    scale = math.sqrt(variance(x) * variance(y))
    if scale == 0:
        raise ValueError("values that are all the same have no correlation")
    return covariance(x, y) / scale


u, v = bill_length - bill_length.mean(), bill_depth - bill_depth.mean()  # each (n,)
together = correlation(bill_length, bill_depth)
np.testing.assert_allclose(together, u @ v / (np.linalg.norm(u) * np.linalg.norm(v)), rtol=1e-10)  # a cosine
within = [correlation(bill_length[labels == k], bill_depth[labels == k]) for k in range(3)]
print(f"all birds {together:.2f}   " + "   ".join(f"{name} {r:.2f}" for name, r in zip(names, within)))
assert together < -0.1 and min(within) > 0.3

# %% [markdown]
# Over all birds the correlation is negative, and within each species it is positive: a bird with a longer
# bill has a deeper one, but the species with long bills have shallow ones. This is *Simpson's paradox*. A
# correlation answers the question of who is compared with whom, and never why.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
left.plot(bill_length, bill_depth, "o", color="0.4", markersize=3)
groups = [(left, np.full(len(birds), True), "C1", f"all: r = {together:.2f}")]
for k, marker in enumerate(markers):
    chosen = labels == k  # (n,)
    right.plot(bill_length[chosen], bill_depth[chosen], marker, color="0.4", markersize=4, fillstyle="none")
    groups.append((right, chosen, f"C{k}", f"{names[k]} {'○△□'[k]}: r = {within[k]:.2f}"))
for (ax, chosen, color, name), style in zip(groups, ("-", "-", "--", "-.")):
    slope = covariance(bill_length[chosen], bill_depth[chosen]) / variance(bill_length[chosen])
    ends = np.array([bill_length[chosen].min(), bill_length[chosen].max()])  # (2,)
    line = bill_depth[chosen].mean() + slope * (ends - bill_length[chosen].mean())  # (2,): least squares
    ax.plot(ends, line, style, color=color, linewidth=2, label=name)
left.set(xlabel="bill length (mm)", ylabel="bill depth (mm)", title="All birds: longer means shallower")
right.set(xlabel="bill length (mm)", title="Each species: longer means deeper")
left.legend()
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## From histogram to distribution
#
# A *histogram* counts how many birds fall into each bin. With more birds and finer bins the steps would
# smooth into a curve, the *distribution*: the area over a stretch is the *probability* of falling there,
# the share in the long run. One curve turns up everywhere, the *normal distribution*, which needs only a
# mean $\mu$ and a standard deviation $\sigma$:
#
# $$p(x) = \frac{1}{\sigma \sqrt{2\pi}}\; e^{-(x - \mu)^2 / 2\sigma^2} .$$


# %%
def normal_density(x, center, spread):
    """Height of the normal curve with mean `center` and standard deviation `spread` at x, number or array."""
    z = (x - center) / spread
    return np.exp(-z * z / 2) / (spread * math.sqrt(2 * math.pi))


def gap_to_normal(values):
    """Largest gap between the share of `values` below each of them and what their normal curve says."""
    values = np.asarray(values)
    z = (values - values.mean()) / values.std()  # (n,)
    curve = [(1 + math.erf(one / math.sqrt(2))) / 2 for one in z]  # the area left of each value
    below = [np.mean(values < one) + np.mean(values == one) / 2 for one in values]  # ties count half
    return float(np.abs(np.subtract(curve, below)).max())


grid = np.linspace(-8, 8, 16_001)  # (16001,)
density = normal_density(grid, 0, 1)  # (16001,)
for k in (1, 2):
    area = np.trapezoid(density * (np.abs(grid) < k), grid)
    print(f"normal curve: {area:.1%} lie within {k} standard deviation{'s' * (k > 1)} of the mean")
adelie = flipper[labels == 0]  # (n_0,)
print(f"largest gap to the curve: Adélie {gap_to_normal(adelie):.1%}, all birds {gap_to_normal(flipper):.1%}")
assert abs(np.trapezoid(density, grid) - 1) < 1e-9  # an area: the probability of anything
assert gap_to_normal(adelie) < 0.05 and gap_to_normal(flipper) > 2 * gap_to_normal(adelie)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, some in ((left, adelie), (right, flipper)):
    ax.hist(some, bins=14, density=True, color="C0", alpha=0.6, edgecolor="white", label="birds")
    x = np.linspace(some.min() - 5, some.max() + 5, 200)  # (200,)
    ax.plot(x, normal_density(x, some.mean(), some.std()), color="C1", label="normal curve")
    ax.set(xlabel="flipper length (mm)", ylabel="share of birds per mm")
    ax.legend()
left.set_title("Adélies: one hump, the normal curve fits")
right.set_title("All birds: two humps, it does not")
plt.show()

# %% [markdown]
# ## Why normal? Throw dice
#
# One die is flat: every face has the same probability. The sum of two has a peak in the middle, because
# many pairs give seven. Add more and the curve of the sum becomes normal, whatever the die looked like:
# that is the *central limit theorem*. A flipper's length is a sum too, of many genes and meals. We
# compute the probabilities exactly, one die at a time.


# %%
def dice_sums(n_dice):
    """Every sum that n_dice dice can show and its probability, two arrays (5 · n_dice + 1,)."""
    probabilities = np.ones(1)
    for _ in range(n_dice):
        longer = np.zeros(len(probabilities) + 5)
        for face in range(6):
            longer[face : face + len(probabilities)] += probabilities / 6
        probabilities = longer
    return np.arange(n_dice, 6 * n_dice + 1), probabilities


gaps = {}
print(f"{'dice':>6s}{'mean':>12s}{'variance':>12s}{'largest gap to normal':>24s}")
for n_dice in (1, 2, 4, 16):
    sums, probabilities = dice_sums(n_dice)
    center = sums @ probabilities  # (m,) @ (m,) -> ()
    spread2 = (sums - center) ** 2 @ probabilities
    curve = normal_density(sums, center, math.sqrt(spread2))  # (m,)
    gaps[n_dice] = np.abs(probabilities - curve).max() / curve.max()
    print(f"{n_dice:6d}{center:12.2f}{spread2:12.2f}{gaps[n_dice]:24.1%}")
    np.testing.assert_allclose([center, spread2], [3.5 * n_dice, 35 / 12 * n_dice], rtol=1e-10)
assert gaps[1] > 0.2 and gaps[16] < 0.02  # means and variances add, the shape becomes normal

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, n_dice in zip(axes, gaps):
    sums, probabilities = dice_sums(n_dice)
    ax.bar(sums, probabilities, color="C0", alpha=0.6, label="dice")
    x = np.linspace(sums[0] - 1, sums[-1] + 1, 300)  # (300,)
    ax.plot(x, normal_density(x, 3.5 * n_dice, math.sqrt(35 / 12 * n_dice)), color="C1", label="normal curve")
    ax.set(xlabel="sum", title=f"{n_dice} dice" if n_dice > 1 else "1 die")
axes[0].set_ylabel("probability")
axes[0].set_ylim(0, 0.33)
axes[0].legend(loc="upper center", fontsize=8)
fig.suptitle("The sum of many dice is normal, though one die is flat")
plt.show()

# %% [markdown]
# ## How wrong is an average?
#
# We play catching birds: draw $n$ of our birds at random, average their mass, and do so thousands of
# times. The averages scatter around the true one with a standard deviation of their own, the *standard
# error*. Variances of independent draws add, and a mean divides by $n$, so
#
# $$\text{standard error} = \frac{\sigma}{\sqrt n} .$$
#
# Four times the birds, half the error. On the way we settle a question that NumPy and PyTorch answer
# differently: is the variance of a sample the sum of squares over $n$, or over $n - 1$?

# %%
n_trials, sizes = 20_000, (2, 5, 10, 20, 50)
errors, ratios = [], {0: [], 1: []}  # correction -> mean of estimated over true variance
print(f"{'n':>4s}{'error':>10s}{'σ / √n':>10s}{'variance, n':>14s}{'variance, n−1':>16s}{'(n−1) / n':>12s}")
for n in sizes:
    samples = rng.choice(mass, size=(n_trials, n))  # with repeats, so that draws are independent
    errors.append(samples.mean(axis=1).std())
    for correction, kept in ratios.items():
        estimates = samples.var(axis=1, ddof=correction) / mass.var()  # (n_trials,)
        kept.append((estimates.mean(), estimates.std() / math.sqrt(n_trials)))
        theory = 1 if correction else (n - 1) / n
        assert abs(kept[-1][0] - theory) < 4 * kept[-1][1] and kept[-1][1] < 0.02
    print(f"{n:4d}{errors[-1]:8.1f} g{mass.std() / math.sqrt(n):8.1f} g", end="")
    print(f"{ratios[0][-1][0]:14.3f}{ratios[1][-1][0]:16.3f}{(n - 1) / n:12.3f}")
    assert abs(errors[-1] / (mass.std() / math.sqrt(n)) - 1) < 4 / math.sqrt(2 * n_trials)

# %% [markdown]
# Dividing by $n$ comes out too small, by exactly $(n - 1) / n$: the sample's own mean lies closer to the
# sample than the true mean does, so the differences are too short. Dividing by $n - 1$ mends it. For
# describing the data at hand, divide by $n$; for guessing about birds not caught, by $n - 1$. PyTorch's
# `std` and `var` do the second, NumPy's the first.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(sizes, errors, "o", label="scatter of the averages")
left.loglog(sizes, mass.std() / np.sqrt(sizes), color="C1", label="σ / √n")
left.set(
    xlabel="birds in the sample, n", ylabel="standard error (g)", title="Four times the birds, half the error"
)
left.set_xticks(sizes, labels=sizes)
left.set_yticks((100, 200, 400), labels=(100, 200, 400))
left.minorticks_off()
left.legend()
for correction, marker, style, name in ((0, "o", "-", "over n"), (1, "^", "--", "over n − 1")):
    right.plot(sizes, [ratio for ratio, _ in ratios[correction]], marker + style, label=name)
right.axhline(1, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="birds in the sample, n", ylabel="estimated / true variance", ylim=(0, 1.2))
right.set_title("Over n is too small, over n − 1 is right")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## Conditional probability: cut the table
#
# The birds live on three islands. The table counts species and island. The probability of gentoo is the
# share of all birds; the *conditional probability* of gentoo *given* Biscoe,
# $P(\text{gentoo} \mid \text{Biscoe})$, is the share within one column. Given the species, shares within
# a row answer another question.

# %%
islands = ("Biscoe", "Dream", "Torgersen")
counted = Counter((row["species"], row["island"]) for row in birds)
table = np.array([[counted[kind, island] for island in islands] for kind in SPECIES])  # (3, 3)
print(f"{'':20s}" + "".join(f"{island:>12s}" for island in islands))
for name, row in zip(names, table):
    print(f"{name:20s}" + "".join(f"{count:12d}" for count in row))

given_biscoe = table[:, 0] / table[:, 0].sum()  # (3,): P(species | Biscoe)
biscoe_given = table[:, 0] / table.sum(axis=1)  # (3,): P(Biscoe | species)
print(f"P(gentoo | Biscoe) {given_biscoe[2]:.2f}   P(Biscoe | gentoo) {biscoe_given[2]:.2f}")
assert biscoe_given[2] == 1 and 0.6 < given_biscoe[2] < 0.9

# %% [markdown]
# ## Bayes: turning the question round
#
# Often we know one direction and need the other. *Bayes' rule* turns it round. Start with what you
# believed before, the *prior*; multiply by how well each species explains what you saw, its *likelihood*;
# scale the result to add up to one, and it is what to believe now, the *posterior*:
#
# $$P(\text{species} \mid \text{seen}) =
#   \frac{P(\text{seen} \mid \text{species})\, P(\text{species})}{P(\text{seen})} .$$


# %%
def posterior(prior, likelihood):
    """Bayes' rule. prior: (k,), likelihood: (k,) or (n, k), how well each of k causes explains what was seen.

    Raises ValueError where the two differ in k.
    """
    if np.shape(prior) != np.shape(likelihood)[-1:]:
        raise ValueError(f"prior of shape {np.shape(prior)}, likelihood of shape {np.shape(likelihood)}")
    joint = prior * likelihood
    return joint / joint.sum(axis=-1, keepdims=True)


prior = table.sum(axis=1) / table.sum()  # (3,)
print(f"by Bayes {posterior(prior, biscoe_given).round(3)}   by counting {given_biscoe.round(3)}")
np.testing.assert_allclose(posterior(prior, biscoe_given), given_biscoe, rtol=1e-10)

# %% [markdown]
# Now with a measurement. A bird has flippers of a certain length: which species is it? The normal curve
# of each species is the likelihood. Where two curves cross, prior and likelihood decide together, and the
# posterior says how sure to be.

# %%
centers = np.array([flipper[labels == k].mean() for k in range(3)])  # (3,)
spreads = np.array([flipper[labels == k].std() for k in range(3)])  # (3,)
lengths = np.linspace(170, 235, 300)  # (300,)
curves = normal_density(lengths[:, None], centers, spreads)  # (300, 1) with (3,) -> (300, 3)
beliefs = posterior(prior, curves)  # (300, 3)
guesses = posterior(prior, normal_density(flipper[:, None], centers, spreads)).argmax(axis=1)  # (n,)
accuracy = np.mean(guesses == labels)
print(f"most likely species: from the prior right for {prior.max():.1%}, with the flipper for {accuracy:.1%}")
assert accuracy > 0.7 > 0.5 > prior.max()

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for k, style in enumerate(("-", "--", "-.")):
    left.plot(lengths, curves[:, k], style, label=names[k])
    right.plot(lengths, beliefs[:, k], style, label=names[k])
left.set(
    xlabel="flipper length (mm)", ylabel="likelihood (per mm)", title="How well each species explains it…"
)
right.set(xlabel="flipper length (mm)", ylabel="posterior", title="…and how much to believe in each")
left.set_ylim(0, 0.075)
left.legend(loc="upper center", ncols=3, fontsize=8)
plt.show()

# %% [markdown]
# ## The best mean is the least-squares mean
#
# Suppose masses are normal around some $\mu$ that we do not know. For every $\mu$ the data have a
# *likelihood*, the product of the curve's heights at all birds. A product of hundreds of small numbers
# underflows, so we take its logarithm, which is a sum:
#
# $$\log L(\mu) = -\frac{1}{2\sigma^2} \sum_i (x_i - \mu)^2 - n \log\!\left(\sigma\sqrt{2\pi}\right) .$$
#
# Look at it: $\mu$ occurs only in a sum of squares, with a minus. The most likely $\mu$ is the one with
# the least squares. Each calls for the other, and the mean of the data is both.


# %%
def log_likelihood(values, center, spread):
    """Logarithm of the probability density of all `values` under a normal curve (nats)."""
    z = (np.asarray(values) - center) / spread  # (n,)
    return float(-(z @ z) / 2 - len(z) * math.log(spread * math.sqrt(2 * math.pi)))  # (n,) @ (n,) -> ()


kilograms = mass[labels == 2] / 1000  # (n,)
candidates = np.linspace(4, 6, 401)  # (401,)
logs = np.array([log_likelihood(kilograms, candidate, kilograms.std()) for candidate in candidates])  # (401,)
squares = np.array([np.mean((kilograms - candidate) ** 2) for candidate in candidates])  # (401,)
product = np.prod(normal_density(mass, mass.mean(), mass.std()))  # all birds, in grams
print(f"most likely {candidates[logs.argmax()]:.3f} kg, least squares {candidates[squares.argmin()]:.3f} kg")
print(f"mean {kilograms.mean():.3f} kg   the plain product over all birds: {product}")
assert logs.argmax() == squares.argmin() and abs(candidates[logs.argmax()] - kilograms.mean()) <= 0.0025
assert product == 0  # underflow
np.testing.assert_allclose(
    np.diff(logs), -len(kilograms) / 2 * np.diff(squares) / kilograms.var(), rtol=1e-6, atol=1e-9
)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(candidates, logs)
right.plot(candidates, squares, color="C1")
for ax in (left, right):
    ax.axvline(kilograms.mean(), color="0.2", linestyle=":", label="mean of the birds")
    ax.set_xlabel("candidate for the mean mass of a gentoo (kg)")
left.set(ylabel="log likelihood (nats)", title="The most likely mean…")
right.set(ylabel="mean squared error (kg²)", title="…is the least-squares mean")
left.legend(loc="lower center")
plt.show()

# %% [markdown]
# ## Surprise and entropy
#
# News that was certain is no news. *Surprise* should be zero at probability one, grow as events get
# rarer, and add up for independent events, whose probabilities multiply. Only $-\log p$ does all three, to
# some base; with the natural logarithm its unit is the *nat*. The average surprise is the *entropy*: how
# much you do not know yet.
#
# $$H(p) = -\sum_k p_k \log p_k, \qquad \text{cross-entropy: } H(p, q) = -\sum_k p_k \log q_k .$$
#
# *Cross-entropy* is the average surprise of someone who believes $q$ while $p$ is true. It is least when
# the belief is right, and that makes it the loss of every classifier from lesson 3.2 on.


# %%
def cross_entropy(p, q):
    """Average surprise (nats) at events of probabilities p for one who believes q, both (k,).

    Raises ValueError where the shapes differ or either is not a distribution. An event of
    probability zero never surprises.
    """
    p, q = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
    if p.shape != q.shape:
        raise ValueError(f"p has shape {p.shape} but q has shape {q.shape}")
    for distribution in (p, q):
        if np.any(distribution < 0) or abs(distribution.sum() - 1) > 1e-9:
            raise ValueError(f"probabilities must be at least zero and add up to one, got {distribution}")
    happens = p > 0
    return float(-(p[happens] @ np.log(q[happens])))  # (m,) @ (m,) -> ()


def entropy(p):
    """Average surprise (nats) at events of probabilities p (k,)."""
    return cross_entropy(p, p)


for name, distribution in (("sure thing", [1, 0]), ("fair coin", [0.5, 0.5]), ("die", [1 / 6] * 6)):
    print(f"{name:20s}{entropy(distribution) + 0.0:12.3f} nats")
assert math.isclose(entropy([0.5, 0.5]), math.log(2)) and entropy([1, 0]) == 0
assert math.isclose(entropy([1 / 6] * 6), math.log(6))

# %% [markdown]
# How much does the island tell about the species? Before, our ignorance is the entropy of the species.
# After, it is the entropy within each island, averaged over the birds. And one who is told Biscoe but
# keeps believing the old shares is more surprised than need be.

# %%
columns = table / table.sum(axis=0)  # (3, 3): P(species | island), a column each
shares = table.sum(axis=0) / table.sum()  # (3,): P(island)
before = entropy(prior)
after = sum(share * entropy(column) for share, column in zip(shares, columns.T))
stubborn = cross_entropy(given_biscoe, prior)
print(f"species unknown {before:.3f} nats, island known {after:.3f} nats")
print(f"on Biscoe: informed {entropy(given_biscoe):.3f} nats, stubborn {stubborn:.3f} nats")
assert after < before and entropy(given_biscoe) < stubborn

# %%
p = np.linspace(0.01, 0.99, 99)  # (99,)
mixed = [cross_entropy([0.3, 0.7], [q, 1 - q]) for q in p]
assert abs(p[int(np.argmin(mixed))] - 0.3) < 1e-9  # least where the belief is the truth

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(p, -np.log(p))
left.set(
    xlabel="probability of what happened", ylabel="surprise (nats)", title="The rarer, the more surprising"
)
right.plot(p, [entropy([q, 1 - q]) for q in p], label="true p is the belief q (entropy)")
right.plot(p, mixed, "--", label="true p = 0.3 (cross-entropy)")
right.plot(0.3, entropy([0.3, 0.7]), "o", color="0.2", fillstyle="none", markersize=9)
right.set(xlabel="believed probability q", ylabel="average surprise (nats)", ylim=(0, 2))
right.set_title("Least surprised is who believes the truth")
right.legend(loc="upper center")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Mean, variance, correlation: a balance point, a mean squared distance from it, a cosine. Ask who is
#   compared with whom.
# - Sums of many small parts become normal. An average of $n$ wobbles by $\sigma / \sqrt n$.
# - Over $n$ describes the data, over $n - 1$ guesses beyond it.
# - Posterior is prior times likelihood, scaled to one.
# - Least squares is maximum likelihood under a normal curve; cross-entropy is average surprise.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. How many birds must a sample have for a standard error of 20 g? Compute it, then try it.
# 2. Load the die: give six half of all throws in `dice_sums`. How many dice until the sum looks normal?
# 3. Set `prior` to a third each. Where do the crossings of the posterior move, and who gains?
#
# ## Sources
#
# - D. J. C. MacKay, *Information Theory, Inference, and Learning Algorithms*, 2003, chapters 2 and 4:
#   Bayes, entropy.
# - C. E. Shannon, "A mathematical theory of communication", *Bell System Technical Journal* 27, 1948:
#   surprise.
# - E. H. Simpson, "The interpretation of interaction in contingency tables", *JRSS B* 13, 1951: the
#   paradox.
# - C. F. Gauss, *Theoria motus*, 1809: the normal curve and least squares.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
