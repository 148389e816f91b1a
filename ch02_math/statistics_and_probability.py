# %% [markdown]
# # 2.8 Statistics and probability: what a handful of birds can tell
#
# You want to know how heavy gentoo penguins are, and you have caught ten. Their average is not the
# average of all gentoos, and ten others would have given another one. How far off is it likely to be?
# And if a bird has a long flipper, how sure can you be of its species? A network has the same questions,
# because it sees a limited number of examples and has to answer for all others, and so has a doctor who
# must say what a test result means. *Probability* says how often something happens in the long run, and
# *statistics* says what a sample tells about the rest.
#
# **You will build** the mean, the spread and the correlation, a test of how far an average is off, Bayes'
# rule on real penguins, and the cross-entropy that later serves as the loss of nearly every classifier.
# **You need** dot products and cosines (2.1), derivatives and logarithms (2.3) and least squares (2.5).

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
# Three birds weigh $2$, $4$ and $9$. Their *mean* $\bar x$ (or average) is the sum of the values divided
# by how many there are. The *variance* $\sigma^2$ is the mean squared distance from it, and its root, the
# *standard deviation* $\sigma$, is a typical distance from the mean in the unit of the data.
#
# $$\begin{aligned}
#   \bar x &= \tfrac13 (2 + 4 + 9) = 5 \\
#   \sigma^2 &= \tfrac13 \left( (-3)^2 + (-1)^2 + 4^2 \right) = \tfrac{26}{3} \\
#   \sigma &= \sqrt{26/3} \approx 2.9
# \end{aligned}$$


# %%
def mean(values):
    """Sum over number; raises ValueError if there are no values."""
    if len(values) == 0:
        raise ValueError("no values have no mean")
    return sum(float(value) for value in values) / len(values)  # float: small whole numbers overflow


def variance(values, correction=0):
    """Sum of squared distances from the mean over n - correction; ValueError if that is not positive."""
    if len(values) <= correction:
        raise ValueError(f"{len(values)} values are too few for a correction of {correction}")
    center = mean(values)
    return sum((value - center) ** 2 for value in values) / (len(values) - correction)


three_birds = [2, 4, 9]
print(f"mean {mean(three_birds)}   variance {variance(three_birds):.3f}", end="")
print(f"   standard deviation {math.sqrt(variance(three_birds)):.3f}")
assert mean(three_birds) == 5 and math.isclose(variance(three_birds), 26 / 3)

# %% [markdown]
# ## Two measurements together
#
# Do birds with long bills have deep bills? For each bird we multiply its two distances from the mean. The
# product is positive if both are above or both below. The mean of these products is the *covariance*, and
# divided by both standard deviations it is the *correlation* $r$, a number from $-1$ to $1$:
#
# $$\operatorname{cov}(x, y) = \frac1n \sum_i (x_i - \bar x)(y_i - \bar y), \qquad
#   r = \frac{\operatorname{cov}(x, y)}{\sigma_x\, \sigma_y} .$$
#
# It is the cosine (2.1) of the angle between the two columns, once their means are subtracted.


# %%
def covariance(x, y, correction=0):
    """Sum of products of the distances from the means over n - correction.

    Raises ValueError if x and y differ in length or n - correction is not positive.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values cannot vary together with {len(y)}")
    if len(x) <= correction:
        raise ValueError(f"{len(x)} values are too few for a correction of {correction}")
    x_mean = mean(x)
    y_mean = mean(y)
    return sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y)) / (len(x) - correction)


def correlation(x, y):
    """Covariance over both standard deviations, from -1 to 1; ValueError if x or y is constant."""
    if min(x) == max(x) or min(y) == max(y):  # the computed spread of ten times 0.1 is not quite zero
        raise ValueError("values that are all the same have no correlation")
    return covariance(x, y) / (math.sqrt(variance(x)) * math.sqrt(variance(y)))


# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

titles = ("Adélie", "chinstrap", "gentoo")
bill_length, bill_depth, flipper, mass = measurements.T  # each (n,)
for column in measurements.T:
    np.testing.assert_allclose([mean(column), variance(column)], [column.mean(), column.var()], rtol=1e-10)
together = correlation(bill_length, bill_depth)
within = [correlation(bill_length[labels == k], bill_depth[labels == k]) for k in range(3)]
print(f"all birds r = {together:.2f}", end="")
print("".join(f"   {name} r = {r:.2f}" for name, r in zip(titles, within)))
u = bill_length - bill_length.mean()  # (n,)
v = bill_depth - bill_depth.mean()  # (n,)
as_cosine = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))  # (n,) @ (n,) -> ()
np.testing.assert_allclose(together, as_cosine, rtol=1e-10)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
left.plot(bill_length, bill_depth, "o", color="0.4", markersize=3)
groups = [(left, np.full(len(birds), True), "C1", "-", f"all: r = {together:.2f}")]
for k, (marker, style) in enumerate(zip("o^s", ("-", "--", "-."))):
    chosen = labels == k  # (n,)
    right.plot(bill_length[chosen], bill_depth[chosen], marker, color="0.4", markersize=4, fillstyle="none")
    groups.append((right, chosen, f"C{k}", style, f"{titles[k]} {'○△□'[k]}: r = {within[k]:.2f}"))
for ax, chosen, color, style, name in groups:
    slope, height = np.polyfit(bill_length[chosen], bill_depth[chosen], 1)  # the least-squares line (2.5)
    ends = np.array([bill_length[chosen].min(), bill_length[chosen].max()])  # (2,)
    ax.plot(ends, slope * ends + height, style, color=color, linewidth=2, label=name)
left.set(xlabel="bill length (mm)", ylabel="bill depth (mm)", title="All birds")
right.set(xlabel="bill length (mm)", title="Each species by itself")
left.legend()
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# Over all birds the correlation is negative, and within each species it is positive. Both are right,
# because within a species a bird with a longer bill has a deeper one, but among the species the gentoos
# have long and shallow bills. This is known as *Simpson's paradox*. So a correlation depends on which
# birds are compared, and it never tells a cause.
#
# ## From shares to a density
#
# A *histogram* counts the birds in bins. With ever more birds and finer bins its steps would smooth into
# a curve, the *density* $p(x)$. The area under it over a stretch is the probability of a value there, so
# the whole area is one. The mean in the long run is called the *expectation* $E[x]$: each value times its
# probability, added up. The expectation of a sum is the sum of the expectations. The best-known density
# is that of the *normal distribution*, which needs only a mean $\mu$ and a standard deviation $\sigma$:
#
# $$p(x) = \frac{1}{\sigma \sqrt{2\pi}}\; e^{-(x - \mu)^2 / 2\sigma^2} .$$
#
# Does it fit the flippers? To see it, we draw it with the mean and the standard deviation of the birds,
# for the Adélies and for all birds, and measure the largest gap between the share of birds below a length
# and what the curve says.


# %%
def normal_density(x, center, spread):
    """Density of the normal distribution with mean `center` and standard deviation `spread` at x.

    Raises ValueError if a spread is not positive.
    """
    if not np.all(np.asarray(spread) > 0):
        raise ValueError(f"a standard deviation must be positive, got {spread}")
    z = (x - center) / spread
    return np.exp(-z * z / 2) / (spread * math.sqrt(2 * math.pi))


def gap_to_normal(values):
    """Largest gap between the share of `values` below each of them and what their normal curve says."""
    values = np.asarray(values, dtype=float)
    z = (values - values.mean()) / values.std()  # (n,)
    curve = [(1 + math.erf(one / math.sqrt(2))) / 2 for one in z]  # the area to the left of each value
    below = [np.mean(values < one) + np.mean(values == one) / 2 for one in values]  # ties count half
    return float(np.abs(np.subtract(curve, below)).max())


grid = np.linspace(-8, 8, 16_001)  # (16001,)
density = normal_density(grid, 0, 1)  # (16001,)
# np.trapezoid gives the area under a curve, here of the part within k standard deviations
areas = {k: np.trapezoid(density * (np.abs(grid) <= k), grid) for k in (1, 2, 8)}
print(f"normal: {areas[1]:.1%} within one standard deviation of the mean, {areas[2]:.1%} within two")
adelie = flipper[labels == 0]  # (n_0,)
print(f"largest gap to the curve: {gap_to_normal(adelie):.1%} for the Adélies", end="")
print(f", {gap_to_normal(flipper):.1%} for all birds")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, some, name in ((left, adelie, "Adélies"), (right, flipper, "All birds")):
    ax.hist(some, bins=14, density=True, color="C0", alpha=0.6, edgecolor="white", label="birds")
    x = np.linspace(some.min() - 5, some.max() + 5, 200)  # (200,)
    ax.plot(x, normal_density(x, some.mean(), some.std()), color="C1", label="normal curve")
    ax.set(xlabel="flipper length (mm)", ylabel="share of birds per mm", title=name)
    ax.legend()
plt.show()

# %% [markdown]
# The Adélies have one hump, and the curve fits them within a few percent. All birds together have two
# humps, and no normal curve can follow them.
#
# ## Sums of independent parts
#
# Why is the normal distribution so common? We look at dice, because two dice are *independent*: knowing
# what one shows does not change the probabilities of the other, so the probability of a pair is the
# product of the two. For independent quantities the covariance is zero, because whatever the one shows,
# the other is as far above its mean as below, on average. Then variances add: if $a$ and $b$ are the two
# distances from the means, $(a + b)^2 = a^2 + 2ab + b^2$, and the expectation of $ab$ is the covariance,
# which is zero. One die is flat, since every face has the same probability. What becomes of the
# distribution of the sum with more dice? As a control we also count one and the same die sixteen times,
# which is a sum of parts that are not independent.


# %%
def dice_sums(n_dice):
    """Every sum that n_dice dice can show and its probability, two arrays (5 · n_dice + 1,)."""
    if n_dice < 0:
        raise ValueError(f"there are no {n_dice} dice")
    probabilities = np.ones(1)
    for _ in range(n_dice):
        longer = np.zeros(len(probabilities) + 5)
        for face in range(6):  # one more die shows face + 1
            longer[face : face + len(probabilities)] += probabilities / 6
        probabilities = longer
    return np.arange(n_dice, 6 * n_dice + 1), probabilities


cases = {name: dice_sums(n_dice) for name, n_dice in (("1 die", 1), ("2 dice", 2), ("16 dice", 16))}
cases["one die × 16"] = (16 * np.arange(1, 7), np.full(6, 1 / 6))
dice_gaps = {}
dice_variances = {}
print(f"{'sum of':20s}{'expectation':>12s}{'variance':>12s}{'gap to normal':>16s}")
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, (name, (sums, probabilities)) in zip(axes, cases.items()):
    expectation = sums @ probabilities  # (m,) @ (m,) -> ()
    dice_variances[name] = (sums - expectation) ** 2 @ probabilities  # (m,) @ (m,) -> ()
    step = sums[1] - sums[0]
    curve = step * normal_density(sums, expectation, math.sqrt(dice_variances[name]))  # (m,)
    dice_gaps[name] = np.abs(probabilities - curve).max() / curve.max()
    print(f"{name:20s}{expectation:12.2f}{dice_variances[name]:12.2f}{dice_gaps[name]:16.1%}")
    bars = {"color": "C0", "alpha": 0.6, "edgecolor": "white", "linewidth": 0.3}
    ax.bar(sums, probabilities, width=step, **bars, label="sums")
    x = np.linspace(sums[0] - step, sums[-1] + step, 300)  # (300,)
    height = step * normal_density(x, expectation, math.sqrt(dice_variances[name]))  # (300,)
    ax.plot(x, height, color="C1", label="normal curve")
    ax.set(xlabel="sum", title=name)
axes[0].set_ylabel("probability")
axes[2].legend(loc="upper right", fontsize=8)
plt.show()

# %% [markdown]
# With sixteen dice the bars follow the curve to within about a percent, and the variance is sixteen
# times that of one die. The control stays flat, and its variance is $16^2$ times that of one die. So the
# bell shape comes from adding independent parts, and not from the number sixteen. The *central limit
# theorem* says that the sum of many independent quantities, with finite variances and none of them
# dominating the rest, has nearly a normal distribution, whatever the single ones look like. That may be
# why flippers of one species look normal, since many genes and meals each add a little; it is a guess, as
# these are not all independent.
#
# ## How far off is an average?
#
# We play catching birds, so we draw $n$ of our birds at random, average their mass, and do so many
# times. The standard deviation of these averages is called the *standard error*. Theory predicts it,
# because the sum of $n$ independent draws has the variance $n \sigma^2$, and the mean is the sum divided
# by $n$, which divides the variance by $n^2$ and leaves $\sigma^2 / n$. So
#
# $$\text{standard error} = \frac{\sigma}{\sqrt n} .$$
#
# A share is a mean, too, of zeros and ones. If a one has the probability $p$, the variance is
# $p(1 - p)^2 + (1 - p)p^2 = p(1 - p)$, so the standard error of a share is $\sqrt{p(1 - p)/n}$. We also
# settle what NumPy and PyTorch answer differently (2.7): should the variance of a sample divide by $n$ or
# by $n - 1$?

# %%
n_trials = 20_000
sizes = (2, 5, 10, 20, 50)
is_gentoo = labels == 2  # (n,)
p = is_gentoo.mean()
errors = []  # measured standard errors of the mean mass
share_errors = []  # and of the share of gentoos
ratios = {0: [], 1: []}  # correction -> mean of estimated over true variance
print(f"{'n':>4s}{'mean (g)':>10s}{'σ / √n':>10s}{'share':>8s}{'√(p(1−p)/n)':>12s}", end="")
print(f"{'variance, n':>14s}{'variance, n−1':>16s}{'(n−1) / n':>12s}")
for n in sizes:
    draws = rng.integers(len(mass), size=(n_trials, n))  # with repeats, so that draws are independent
    samples = mass[draws]  # (n_trials, n)
    errors.append(samples.mean(axis=1).std())
    share_errors.append(is_gentoo[draws].mean(axis=1).std())
    for correction, results in ratios.items():
        results.append(samples.var(axis=1, ddof=correction).mean() / mass.var())
    print(f"{n:4d}{errors[-1]:10.1f}{mass.std() / math.sqrt(n):10.1f}", end="")
    print(f"{share_errors[-1]:8.3f}{math.sqrt(p * (1 - p) / n):12.3f}", end="")
    print(f"{ratios[0][-1]:14.3f}{ratios[1][-1]:16.3f}{(n - 1) / n:12.3f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(sizes, errors, "o", label="measured")
left.loglog(sizes, mass.std() / np.sqrt(sizes), color="C1", label="σ / √n")
left.set(xlabel="birds in the sample, n", ylabel="standard error (g)", title="Error of the average mass")
left.set_xticks(sizes, labels=sizes)
left.set_yticks((100, 200, 400), labels=(100, 200, 400))
left.minorticks_off()
left.legend()
for correction, style, name in ((0, "o-", "over n"), (1, "^--", "over n − 1")):
    right.plot(sizes, ratios[correction], style, label=name)
right.axhline(1, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="birds in the sample, n", ylabel="estimated / true variance", ylim=(0, 1.2))
right.set_title("Variance of the sample, on average")
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# Both standard errors are as predicted, so four times as many birds halve the error. On the right the
# variance over $n$ is too small on average, by $(n - 1) / n$, because a sample lies closer to its own
# mean than to the true one. Dividing by $n - 1$ corrects that. So use $n$ to describe the data at hand
# and $n - 1$ to estimate beyond them.
#
# ## Conditional probability and Bayes' rule
#
# The birds live on three islands. The probability of gentoo is its share among all birds, and the
# *conditional probability* of gentoo *given* Biscoe, $P(\text{gentoo} \mid \text{Biscoe})$, is its share
# on that island. $P(\text{Biscoe} \mid \text{gentoo})$ is another number, and *Bayes' rule* leads from
# one to the other. It starts with what was known before, the *prior*, multiplies by the probability of
# what was seen under each cause, the *likelihood*, and divides by the sum, which gives what is known
# now, the *posterior*:
#
# $$P(\text{species} \mid \text{seen}) =
#   \frac{P(\text{seen} \mid \text{species})\, P(\text{species})}{P(\text{seen})} .$$


# %%
def posterior(prior, likelihood):
    """Bayes' rule. prior: (k,), likelihood: (k,) or (n, k), of what was seen under each of k causes.

    If no cause can explain what was seen, the result is NaN. Raises ValueError if the two differ in k.
    """
    if np.shape(prior) != np.shape(likelihood)[-1:]:
        raise ValueError(f"prior of shape {np.shape(prior)}, likelihood of shape {np.shape(likelihood)}")
    joint = np.multiply(prior, likelihood)
    return joint / joint.sum(axis=-1, keepdims=True)


islands = ("Biscoe", "Dream", "Torgersen")
counted = Counter((row["species"], row["island"]) for row in birds)
table = np.array([[counted[kind, island] for island in islands] for kind in SPECIES])  # (3, 3)
print(f"{'':20s}" + "".join(f"{island:>12s}" for island in islands))
for name, row in zip(titles, table):
    print(f"{name:20s}" + "".join(f"{count:12d}" for count in row))

prior = table.sum(axis=1) / table.sum()  # (3,): P(species)
biscoe_given = table[:, 0] / table.sum(axis=1)  # (3,): P(Biscoe | species)
given_biscoe = table[:, 0] / table[:, 0].sum()  # (3,): P(species | Biscoe), by counting
print(f"P(Biscoe | gentoo) {biscoe_given[2]:.2f}   P(gentoo | Biscoe) {given_biscoe[2]:.2f}", end="")
print(f", by Bayes' rule {posterior(prior, biscoe_given)[2]:.2f}")
np.testing.assert_allclose(posterior(prior, biscoe_given), given_biscoe, rtol=1e-10)

# %% [markdown]
# Every gentoo lives on Biscoe, but not every bird on Biscoe is a gentoo. Now we take a measurement
# instead of the island: a bird has a flipper of a certain length, and which species is it? We fit a
# normal curve for each species to two thirds of the birds, as its likelihood, and take the prior from the
# same birds. How often is the most probable species right for the other third?

# %%
order = rng.permutation(len(birds))
fitted = order[:228]  # two thirds of the 342 birds
held_out = order[228:]
centers = np.array([flipper[fitted][labels[fitted] == k].mean() for k in range(3)])  # (3,)
spreads = np.array([flipper[fitted][labels[fitted] == k].std() for k in range(3)])  # (3,)
flipper_prior = np.bincount(labels[fitted]) / len(fitted)  # (3,)
likelihoods = normal_density(flipper[held_out][:, None], centers, spreads)  # (n, 1) with (3,) -> (n, 3)
accuracy = np.mean(posterior(flipper_prior, likelihoods).argmax(axis=1) == labels[held_out])
always_first = np.mean(labels[held_out] == flipper_prior.argmax())
print(f"right on birds held out: {accuracy:.1%} with the flipper, {always_first:.1%} with the prior alone")

lengths = np.linspace(170, 235, 300)  # (300,)
curves = normal_density(lengths[:, None], centers, spreads)  # (300, 1) with (3,) -> (300, 3)
beliefs = posterior(flipper_prior, curves)  # (300, 3)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for k, style in enumerate(("-", "--", "-.")):
    left.plot(lengths, curves[:, k], style, label=titles[k])
    right.plot(lengths, beliefs[:, k], style, label=titles[k])
left.set(xlabel="flipper length (mm)", ylabel="likelihood (per mm)", title="Density for each species")
right.set(xlabel="flipper length (mm)", ylabel="posterior", title="Probability of each species")
left.set_ylim(0, 1.3 * curves.max())
left.legend(loc="upper center", ncols=3, fontsize=8)
plt.show()

# %% [markdown]
# On the birds held out the most probable species is right about four times in five, while always naming
# the most common species is right about half of the time. (Thirty other splits gave between about three
# quarters and seven eighths with the flipper, and between three tenths and a little over half without
# it.) With a flipper well over 21 cm the bird is almost surely a gentoo. The curves of Adélies and
# chinstraps overlap, and there the prior, which has about twice as many Adélies, tips the balance: the two
# posteriors cross further to the right than the two densities.
#
# ## The most likely mean
#
# Suppose the masses of gentoos are normal around some mean $\mu$ that we do not know. For each $\mu$ the
# birds have a likelihood, the product of the densities at all of them, and a common way to choose is to
# take the $\mu$ with the largest one: *maximum likelihood*. A product of hundreds of small numbers
# becomes too small for a computer, but logarithms turn it into a sum (2.3):
#
# $$\log L(\mu) = -\frac{1}{2\sigma^2} \sum_i (x_i - \mu)^2 - n \log\!\left(\sigma\sqrt{2\pi}\right) .$$
#
# Here $\mu$ occurs only in a sum of squares, with a minus sign. What does this say about the best $\mu$?


# %%
def log_likelihood(values, center, spread):
    """Logarithm of the probability density of all `values` under a normal distribution."""
    z = (np.asarray(values) - center) / spread  # (n,)
    return float(-(z @ z) / 2 - len(z) * math.log(spread * math.sqrt(2 * math.pi)))  # (n,) @ (n,) -> ()


kilograms = mass[labels == 2] / 1000  # (n_2,)
candidates = np.linspace(4, 6, 401)  # (401,)
logs = np.array([log_likelihood(kilograms, center, kilograms.std()) for center in candidates])  # (401,)
squares = np.array([np.mean((kilograms - candidate) ** 2) for candidate in candidates])  # (401,)
plain_product = np.prod(normal_density(mass, mass.mean(), mass.std()))  # over all birds
print(
    f"most likely {candidates[logs.argmax()]:.3f} kg, least squares {candidates[squares.argmin()]:.3f} kg",
    end="",
)
print(f", mean {kilograms.mean():.3f} kg")
print(f"the plain product of the densities of all birds: {plain_product}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(candidates, logs)
right.plot(candidates, squares, color="C1")
for ax in (left, right):
    ax.axvline(kilograms.mean(), color="0.2", linestyle=":", label="mean of the birds")
    ax.set_xlabel("candidate for the mean mass of gentoos (kg)")
left.set(ylabel="log likelihood", title="Likelihood of each mean")
right.set(ylabel="mean squared error (kg²)", title="Squared error of each mean")
left.legend(loc="lower center")
plt.show()

# %% [markdown]
# The likelihood is largest exactly where the mean squared error is smallest, and that is the mean of the
# birds. So to minimise squared errors, as in lesson 2.5, is to maximise a likelihood under a normal
# distribution.
#
# ## Surprisal and cross-entropy
#
# A measure of surprise should be zero for the probability one, grow as an event becomes less probable,
# and add up for independent events, whose probabilities multiply. Only a logarithm does all three:
# $-\log p$, called the *surprisal*. With the natural logarithm its unit is the *nat*. Its expectation is
# the *entropy* $H(p)$. The *cross-entropy* $H(p, q)$ is the expected surprisal of somebody who believes
# in the probabilities $q$ while $p$ are the true ones:
#
# $$H(p) = -\sum_k p_k \log p_k, \qquad H(p, q) = -\sum_k p_k \log q_k .$$
#
# Suppose it rains on 3 of 10 days. Which belief $q$ makes the expected surprisal smallest?


# %%
def cross_entropy(p, q):
    """Expected surprisal (nats) of one who believes q while p is true, both (k,).

    It is inf if q rules out what happens. Raises ValueError if the shapes differ or one is no distribution.
    """
    p = np.asarray(p, dtype=float)
    q = np.asarray(q, dtype=float)
    if p.shape != q.shape:
        raise ValueError(f"p has shape {p.shape} but q has shape {q.shape}")
    for distribution in (p, q):
        if np.any(distribution < 0) or not abs(distribution.sum() - 1) < 1e-9:  # refuses nan, too
            raise ValueError(f"probabilities must be at least zero and add up to one, got {distribution}")
    happens = p > 0  # an event of probability zero never surprises
    if np.any(q[happens] == 0):
        return math.inf
    return float(-(p[happens] @ np.log(q[happens])))  # (m,) @ (m,) -> ()


def entropy(p):
    """Expected surprisal (nats) of events of probabilities p (k,)."""
    return cross_entropy(p, p)


for name, distribution in (("certain", [1, 0]), ("fair coin", [0.5, 0.5]), ("die", [1 / 6] * 6)):
    print(f"entropy of {name:12s}{entropy(distribution) + 0.0:8.3f} nats")  # + 0.0 turns −0 into 0
given_island = table / table.sum(axis=0)  # (3, 3): P(species | island), a column for each island
island_shares = table.sum(axis=0) / table.sum()  # (3,)
species_entropy = entropy(prior)
entropy_on_islands = sum(share * entropy(column) for share, column in zip(island_shares, given_island.T))
print(f"entropy of the species: {species_entropy:.3f} nats", end="")
print(f", if the island is known {entropy_on_islands:.3f} nats")

beliefs_in_rain = np.linspace(0.01, 0.99, 99)  # (99,)
expected = np.array([cross_entropy([0.3, 0.7], [q, 1 - q]) for q in beliefs_in_rain])  # (99,)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(beliefs_in_rain, -np.log(beliefs_in_rain))
left.set(xlabel="probability of what happened", ylabel="surprisal (nats)", title="Surprisal −log p")
right.plot(beliefs_in_rain, [entropy([q, 1 - q]) for q in beliefs_in_rain], label="entropy of q")
right.plot(beliefs_in_rain, expected, "--", label="cross-entropy, true p = 0.3")
right.plot(0.3, entropy([0.3, 0.7]), "o", color="0.2", fillstyle="none", markersize=9)
right.set(xlabel="believed probability q", ylabel="expected surprisal (nats)", ylim=(0, 2))
right.set_title("Cross-entropy of each belief")
right.legend(loc="upper center")
plt.show()

# %% [markdown]
# The dashed curve has its lowest point at the truth, where it touches the entropy. A classifier gives
# probabilities $q$ for the right answer. If it is trained to make the cross-entropy small, its
# probabilities are drawn towards the true ones, and this is why nearly every classifier of this course
# has it as its loss (from lesson 3.2 on). The last line that was printed shows another use: the entropy of
# the species falls by about half if the island is known, so the island tells about half of what is unknown
# about the species.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert together < -0.1 and min(within) > 0.3, "the correlation is negative over all, positive within"
assert abs(areas[8] - 1) < 1e-9, "the whole area under a density is one"
assert gap_to_normal(adelie) < 0.05, "the normal curve fits the Adélies within a few percent"
assert gap_to_normal(flipper) > 2 * gap_to_normal(adelie), "it does not fit all birds together"
assert dice_gaps["16 dice"] < 0.02 < 0.2 < dice_gaps["1 die"], "the sum of sixteen dice is nearly normal"
assert dice_gaps["one die × 16"] > 0.2, "sixteen times the same die is not"
assert math.isclose(dice_variances["16 dice"], 16 * dice_variances["1 die"]), "independent variances add"
np.testing.assert_allclose(errors, mass.std() / np.sqrt(sizes), rtol=0.03, err_msg="σ / √n")
np.testing.assert_allclose(
    share_errors, np.sqrt(p * (1 - p) / np.array(sizes)), rtol=0.03, err_msg="of a share"
)
np.testing.assert_allclose(ratios[0], 1 - 1 / np.array(sizes), rtol=0.05, err_msg="over n is too small")
np.testing.assert_allclose(ratios[1], 1, rtol=0.05, err_msg="over n − 1 is right on average")
assert biscoe_given[2] == 1 > given_biscoe[2], "all gentoos live on Biscoe, not all its birds are gentoos"
assert 0.7 < accuracy < 0.9, "on birds held out the flipper is right about four times in five"
assert 0.3 < always_first < 0.6, "the most common species alone is right about half of the time"
below_21 = (lengths > 185) & (lengths < 210)  # (300,): where the curves of the first two species cross
crossings = [lengths[below_21][np.argmax(y[below_21, 1] > y[below_21, 0])] for y in (curves, beliefs)]
assert crossings[1] > crossings[0] + 2, "with the prior, Adélie and chinstrap cross further to the right"
assert 1.7 < flipper_prior[0] / flipper_prior[1] < 2.7, "there are about twice as many Adélies"
assert beliefs[lengths > 213, 2].min() > 0.9, "a flipper well over 21 cm belongs almost surely to a gentoo"
assert logs.argmax() == squares.argmin(), "the most likely mean is the least-squares mean"
assert plain_product == 0, "the plain product underflows"
assert abs(beliefs_in_rain[expected.argmin()] - 0.3) < 1e-9, "cross-entropy is smallest at the truth"
assert 0.35 < entropy_on_islands / species_entropy < 0.65, "the island removes about half of the entropy"

# %% [markdown]
# ## Going further
#
# This can be skipped at first. It holds a trap of rounding, the covariance matrix that lesson 10.3 needs,
# and sampling without repeats, which lesson 3.1 needs.
#
# ### A shortcut that fails
#
# The variance is also the mean of the squares minus the square of the mean. On paper this is the same and
# needs the data only once. What does it give for three birds that are weighed together with a mountain?

# %%
far = np.array([2.0, 4.0, 9.0]) + 1e9  # (3,)
shortcut = np.mean(far**2) - np.mean(far) ** 2
print(f"variance by the definition {variance(far):.3f}, by the shortcut {shortcut:.3f}")

# %% [markdown]
# The shortcut subtracts two huge, nearly equal numbers and keeps their rounding errors, as a derivative
# with too small a step did (2.3).
#
# ### The covariance matrix
#
# With several measurements the covariances of all pairs form a table, the *covariance matrix*, with the
# variances on its diagonal. For a table $X$ of deviations from the mean, one row for each bird, it is
# $X^\top X / n$. It is symmetric, so its eigenvectors (2.6) stand at right angles. What do they mean for
# the cloud of gentoos, each with its bill and its flipper?

# %%
gentoos = np.stack([flipper, bill_length], axis=1)[labels == 2]  # two (n,) -> (n, 2) -> (n_2, 2)
centered = gentoos - gentoos.mean(axis=0)  # (n_2, 2)
covariance_matrix = centered.T @ centered / len(centered)  # (2, n_2) @ (n_2, 2) -> (2, 2)
by_pairs = [[covariance(x, y) for y in gentoos.T] for x in gentoos.T]
np.testing.assert_allclose(covariance_matrix, by_pairs, rtol=1e-10)
eigenvalues, eigenvectors = np.linalg.eigh(covariance_matrix)  # (2,), (2, 2): an eigenvector in each column
along = (centered @ eigenvectors).var(axis=0)  # (n_2, 2) @ (2, 2) -> (n_2, 2) -> (2,)
print(f"eigenvalues {eigenvalues.round(3)}, variances along the eigenvectors {along.round(3)}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(centered[:, 0], centered[:, 1], "o", color="0.4", markersize=3)
for value, vector, style in zip(eigenvalues, eigenvectors.T, ("--", "-")):
    ends = np.outer([-2, 2], math.sqrt(value) * vector)  # (2, 2): two standard deviations to both sides
    ax.plot(ends[:, 0], ends[:, 1], style, color="C1", linewidth=2, label=f"variance {value:.2f}")
ax.set(xlabel="flipper from the mean (mm)", ylabel="bill from the mean (mm)", aspect="equal")
ax.set_title("Eigenvectors of the covariance matrix, gentoos")
ax.legend(loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# They are the axes of the cloud, and each eigenvalue is the variance along its axis. In high dimensions
# the axes with the largest variances tell most about the data, which is used in lesson 10.3.
#
# ### Drawing without repeats
#
# Above, a bird could be drawn twice, which kept the draws independent. If $n$ birds are drawn from $N$
# without repeats, they are not, because a bird that has been drawn cannot come again. The variance of
# the mean is smaller then, by the factor $\frac{N - n}{N - 1}$. If $n = N$ it is zero, because everybody
# has been drawn.

# %%
n = 200
shuffled = np.array([rng.permutation(mass)[:n].mean() for _ in range(4000)])  # (4000,)
correction_factor = math.sqrt((len(mass) - n) / (len(mass) - 1))
print(f"standard error of the mean of {n} birds: measured {shuffled.std():.2f} g", end="")
print(f", with the factor {mass.std() / math.sqrt(n) * correction_factor:.2f} g", end="")
print(f", without it {mass.std() / math.sqrt(n):.2f} g")

# %% [markdown]
# The measured error agrees with the formula that has the factor.

# %%
assert math.isclose(variance(far), 26 / 3), "the definition survives a large mean"
assert abs(shortcut - 26 / 3) > 1, "the shortcut does not"
np.testing.assert_allclose(along, eigenvalues, rtol=1e-10, err_msg="eigenvalues are variances")
expected_error = mass.std() / math.sqrt(n) * correction_factor
assert abs(shuffled.std() / expected_error - 1) < 0.06, "without repeats the error is smaller"

# %% [markdown]
# ## What to remember
#
# - The variance is the mean squared distance from the mean, the standard deviation its root. A
#   correlation is a cosine, and it depends on which cases are compared.
# - Sums of many independent parts, none of which dominates, are nearly normal. An average of $n$
#   independent draws is off by about $\sigma / \sqrt n$, a share by $\sqrt{p(1 - p) / n}$.
# - Over $n$ describes the data at hand, over $n - 1$ estimates beyond them.
# - The posterior is the prior times the likelihood, divided by the sum.
# - Least squares is maximum likelihood under a normal distribution, and cross-entropy is smallest for the
#   true probabilities.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. How many birds must a sample have for a standard error of 20 g? Compute it from $\sigma \approx 800$
#    g, put your number in the place of the 50 in `sizes`, and look at the last line of the table of
#    errors.
# 2. Give every species the same prior: `flipper_prior = np.full(3, 1 / 3)`. Where do the crossings of the
#    posterior move, and which species gains? Look at the right panel of the figure of the flippers.
# 3. In a blank cell at the end: load a die, with the probability one half for the six and one tenth for
#    each other face. Write `loaded_sums(n_dice)` after the model of `dice_sums`, and find how many dice
#    it takes until the largest gap to the normal curve is below 2 %. Compare with the 16 fair dice. Why
#    does it need more?
#
# ## Sources
#
# - D. J. C. MacKay, _Information Theory, Inference, and Learning Algorithms_, 2003, chapters 2 and 4:
#   Bayes' rule, entropy. Reproduced: "cross-entropy is smallest at the truth".
# - C. E. Shannon, "A mathematical theory of communication", _Bell System Technical Journal_ 27, 1948:
#   entropy.
# - E. H. Simpson, "The interpretation of interaction in contingency tables", _JRSS B_ 13, 1951: the
#   paradox. Reproduced: "the correlation is negative over all, positive within".
# - C. F. Gauss, _Theoria motus_, 1809: the normal curve and least squares. Reproduced: "the most likely
#   mean is the least-squares mean".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
