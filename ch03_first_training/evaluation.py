# %% [markdown]
# # 3.4 Evaluation: what a grade says, and what it hides
#
# A smoke detector that never rings is right on nearly every night of the year. Nobody would buy it, and
# yet its accuracy is superb. A single grade answers one question; this lesson collects the questions that
# a careful person asks before trusting a model, and the numbers that answer them.
#
# **You will build** every common measure of a classifier, an interval for its luck, and a predictor that
# refuses nonsense. **You need** splits (3.1), the loop of logistic regression (3.3), probability (2.8).

# %%
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Ten birds, four of them male. The model says *male* five times and is right about three. Write truth in
# rows and prediction in columns, and you have the *confusion matrix*: four females and three males right,
# two females called male, one male missed.

# %%
truth = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])  # 0 female, 1 male
guess = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0])


def confusion_matrix(labels, predictions, n_classes):
    """(n_classes, n_classes) counts: the row is the true class, the column the predicted one.

    labels, predictions: (n,) class indices. Raises ValueError on other shapes or indices.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels have shape {labels.shape} but predictions {predictions.shape}")
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    for label, prediction in zip(labels, predictions):
        if not (0 <= label < n_classes and 0 <= prediction < n_classes):
            raise ValueError(f"classes must lie in 0 … {n_classes - 1}, got {label} and {prediction}")
        matrix[label, prediction] += 1
    return matrix


print(confusion_matrix(truth, guess, 2))
np.testing.assert_array_equal(confusion_matrix(truth, guess, 2), [[4, 2], [1, 3]])

# %% [markdown]
# Four grades from one table. *Accuracy*: the share on the diagonal, $7/10$. *Precision* of a class: of
# those called male, how many are, $3/5$. *Recall*: of the males, how many were found, $3/4$. The *F1
# score* is their harmonic mean, which is low when either is:
#
# $$F_1 = \frac{2}{1/\text{precision} + 1/\text{recall}}
#   = \frac{2\,\text{TP}}{2\,\text{TP} + \text{FP} + \text{FN}} ,$$
#
# with TP, FP and FN the *true positives*, *false positives* and *false negatives* of the class; here
# $6/9$.


# %%
def ratio(part, whole):
    """part / whole, element by element; nan where whole is zero: the question has no answer."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


def grades(matrix):
    """Accuracy, and arrays with a number a class: precision, recall, f1. nan where nothing can be said."""
    right, actual, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)  # each (K,)
    return {
        "accuracy": float(ratio(right.sum(), matrix.sum())),
        "precision": ratio(right, called),  # nan: never predicted
        "recall": ratio(right, actual),  # nan: no such example
        "f1": ratio(2 * right, actual + called),  # nan: neither
    }


paper = grades(confusion_matrix(truth, guess, 2))
for name, value in paper.items():
    print(f"{name:20s}{np.round(value, 3)}")
np.testing.assert_allclose(paper["accuracy"], 7 / 10)
np.testing.assert_allclose([paper[name][1] for name in ("precision", "recall", "f1")], [3 / 5, 3 / 4, 6 / 9])

# %% [markdown]
# And where there is nothing to divide by? Zero over zero is neither good nor bad, so it is `nan`, which
# spreads through any average instead of hiding in it. A model that never says male has no precision for
# males; a set without males has no recall for them.

# %%
never = grades(confusion_matrix(truth, np.zeros(10, dtype=int), 2))
absent = grades(confusion_matrix(truth[:6], guess[:6], 2))
print(f"never said:  precision {never['precision'][1]}, recall {never['recall'][1]}, F1 {never['f1'][1]}")
print(f"none there:  precision {absent['precision'][1]}, recall {absent['recall'][1]}, F1 {absent['f1'][1]}")
assert np.isnan(never["precision"][1]) and never["recall"][1] == never["f1"][1] == 0
assert np.isnan(absent["recall"][1]) and absent["precision"][1] == 0

# %% [markdown]
# ## Female or male?
#
# The species of a penguin is no challenge: there would be little to grade. Its sex, from four measurements
# and without being told the species, is harder. Birds of unknown sex cannot be graded, so they are left
# out.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

SEXES = ("female", "male")
is_known = np.array([row["sex"] in SEXES for row in birds])
measurements, species = measurements[is_known], labels[is_known]  # (n, 4), (n,)
labels = np.array([SEXES.index(row["sex"]) for row in birds if row["sex"] in SEXES])  # (n,)
print(f"{np.sum(labels == 0)} females, {np.sum(labels == 1)} males")

# %% [markdown]
# Three sets as in lesson 3.1, each sex split by itself. The test set is larger than usual, because this
# lesson is about grading.

# %%
parts = ([], [], [])
for sex in (0, 1):
    members = rng.permutation(np.flatnonzero(labels == sex))
    for part, piece in zip(parts, np.split(members, (np.array([0.45, 0.6]) * len(members)).astype(int))):
        part.extend(piece)
train, validation, test = (np.array(part) for part in parts)
print(f"{len(train)} to train on, {len(validation)} to validate, {len(test)} to test")
assert (
    len(set(train) | set(validation) | set(test)) == len(labels) == len(train) + len(validation) + len(test)
)


# %% [markdown]
# The model and its training are those of lesson 3.3, in one function: it scales by the training birds,
# takes the four steps again and again, and returns the scores of *all* birds, of which it saw only its
# own. Which measurements it may use is an argument.


# %%
def probability(scores):
    """Sigmoid of scores, without overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1, small) / (1 + small)


def fit(train, columns=(0, 1, 2, 3), n_steps=1000, learning_rate=1.0):
    """Logistic regression on the birds `train`: weight, bias, center, spread, and scores (n,)."""
    features = measurements[:, columns]  # (n, D)
    center, spread = features[train].mean(axis=0), features[train].std(axis=0)
    x = (features - center) / spread
    weight, bias = np.zeros(len(columns)), 0.0
    for _ in range(n_steps):
        error = (probability(x[train] @ weight + bias) - labels[train]) / len(train)  # (n, D) @ (D,) -> (n,)
        weight -= learning_rate * (x[train].T @ error)  # (D, n) @ (n,) -> (D,)
        bias -= learning_rate * error.sum()
    return weight, bias, center, spread, x @ weight + bias  # (n, D) @ (D,) -> (n,)


weight, bias, center, spread, scores = fit(train)
predictions = (scores > 0).astype(int)
for name, part in (("training", train), ("validation", validation), ("test", test)):
    print(f"{name:20s}accuracy {np.mean(predictions[part] == labels[part]):.1%}")

# %% [markdown]
# ## What accuracy hides
#
# First question: compared with whom? Half of the test birds are male, so always saying one sex is right
# for half. But take a colony with one male in ten, and the model that always says *female* gets a grade
# that looks like ours.

# %%
males, females = test[labels[test] == 1], test[labels[test] == 0]
colony = np.concatenate([females, males[: len(females) // 9]])
print(f"{'':20s}{'accuracy':>12s}{'precision':>12s}{'recall':>12s}{'F1':>12s}   (of males)")
graded = {}
for name, where in (("all test birds", test), ("the colony", colony)):
    for who, guessed in (
        ("always female", np.zeros(len(where), dtype=int)),
        ("our model", predictions[where]),
    ):
        grade = graded[name, who] = grades(confusion_matrix(labels[where], guessed, 2))
        row = [grade["accuracy"], *(grade[key][1] for key in ("precision", "recall", "f1"))]
        print(f"{name + ':':20s}" + "".join(f"{value:12.3f}" for value in row) + f"   {who}")
always = graded["the colony", "always female"]
assert always["accuracy"] > 0.85 and always["recall"][1] == 0 and np.isnan(always["precision"][1])
assert abs(always["accuracy"] - graded["the colony", "our model"]["accuracy"]) < 0.05
assert graded["the colony", "our model"]["recall"][1] > 0.5
assert (
    graded["the colony", "our model"]["precision"][1] < graded["all test birds", "our model"]["precision"][1]
)

# %% [markdown]
# Accuracy cannot tell the two apart in the colony; recall can, at a glance. Our model's precision dropped
# there, though the model is the same: when males are rare, more of those called male are mistaken females.
# Grades belong to a model *and* the birds it is used on.
#
# ## Moving the threshold
#
# Why call a bird male at probability one half? Where missing a male is worse than a false alarm, ask for
# less. Each threshold gives a share of males found, the *true positive rate* (recall again), and of
# females called male, the *false positive rate*. All thresholds together draw the *ROC curve*.


# %%
def roc_curve(scores, labels):
    """False and true positive rates (t,) at thresholds (t,) from strict to lax, where `scores >= threshold`.

    scores: (n,), labels: (n,) 0 or 1. Equal scores share a threshold. Raises ValueError without both classes.
    """
    if scores.shape != labels.shape:
        raise ValueError(f"scores have shape {scores.shape} but labels {labels.shape}")
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"both classes, 0 and 1, must occur, got {np.unique(labels).tolist()}")
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    false_rate = np.array([np.mean(scores[labels == 0] >= threshold) for threshold in thresholds])
    true_rate = np.array([np.mean(scores[labels == 1] >= threshold) for threshold in thresholds])
    return false_rate, true_rate, thresholds


# %% [markdown]
# The area under this curve, *AUC*, is a grade without a threshold, and has a meaning: pick a male and a
# female at random; the area is the probability that the male has the higher score, counting a tie as half.
# One is an integral, the other a count over all pairs. They must agree to the last digit.


# %%
def area(false_rate, true_rate):
    """Area under a curve of straight pieces."""
    return float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))


def pairwise_ranking(scores, labels):
    """Share of pairs (one of class 1, one of class 0) in which class 1 scores higher; a tie counts half."""
    higher = ties = pairs = 0
    for male in scores[labels == 1]:
        for female in scores[labels == 0]:
            higher += male > female
            ties += male == female
            pairs += 1
    return (higher + ties / 2) / pairs


false_rate, true_rate, thresholds = roc_curve(scores[test], labels[test])
auc, pairwise = area(false_rate, true_rate), pairwise_ranking(scores[test], labels[test])
print(f"area {auc:.6f}   pairs ranked right {pairwise:.6f}")
np.testing.assert_allclose(auc, pairwise, rtol=1e-10)
assert auc > 0.9

rounded = np.round(scores)  # many ties
np.testing.assert_allclose(
    area(*roc_curve(rounded, labels)[:2]), pairwise_ranking(rounded, labels), rtol=1e-10
)

# %% [markdown]
# Say we may miss one male in twenty at most. The strictest threshold that achieves this is chosen on the
# validation birds, then graded on the test birds. It need not hold there exactly: the choice was made on
# others.

# %%
_, validation_rate, validation_thresholds = roc_curve(scores[validation], labels[validation])
lax = validation_thresholds[np.argmax(validation_rate >= 0.95)]  # the first, strictest one
print(f"call a bird male from probability {probability(lax):.2f} on")
points = {}
for name, threshold in (("one half", 0.0), ("chosen", lax)):
    called = scores[test] >= threshold
    points[name] = np.mean(called[labels[test] == 0]), np.mean(called[labels[test] == 1])
    print(f"{name:20s}males found {points[name][1]:.1%}, females called male {points[name][0]:.1%}")
assert np.mean(scores[validation][labels[validation] == 1] >= lax) >= 0.95

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
left.text(0.6, 0.52, "coin", color="0.4")
left.step(false_rate, true_rate, where="post", color="C1", label="our model")
for (name, point), marker in zip(points.items(), ("o", "^")):
    left.plot(*point, marker, color="0.2", markersize=8, fillstyle="none", label=f"threshold: {name}")
left.set(xlabel="females called male", ylabel="males found", title="More males found, more false alarms")
left.legend(loc="lower right")
called = [scores[test] >= threshold for threshold in thresholds[1:]]
precision = [np.mean(labels[test][chosen]) for chosen in called]
right.plot(probability(thresholds[1:]), precision, color="C0", label="precision")
right.plot(probability(thresholds[1:]), true_rate[1:], "--", color="C1", label="recall")
right.set(
    xlabel="threshold (probability of male)", ylim=(0, 1.05), title="A threshold trades one for the other"
)
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# ## Are its promises kept?
#
# A probability is a promise about many birds: of those called male with 0.8, eight in ten should be. A
# model that keeps such promises is *calibrated*. To check we need many birds, and the test set is small.
# So cut all birds into *folds* and let each fold be graded by a model trained on the others:
# *cross-validation*. No bird is graded by a model that saw it.

# %%
folds = np.array_split(rng.permutation(len(labels)), 10)
held_out = np.zeros(len(labels))  # (n,): for each bird the probability of male from a model that never saw it
for fold in folds:
    others = np.setdiff1d(np.arange(len(labels)), fold)
    held_out[fold] = probability(fit(others)[-1][fold])
print(f"cross-validated accuracy {np.mean((held_out > 0.5) == labels):.1%}")


def calibration(probabilities, labels, edges):
    """Per bin between the edges (k + 1,): mean probability, share of class 1, number of examples, each (k,).

    A bin takes its lower edge, the last bin both. nan in an empty bin.
    """
    bins = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    promised = np.bincount(bins, weights=probabilities, minlength=len(edges) - 1)
    happened = np.bincount(bins, weights=labels, minlength=len(edges) - 1)
    return ratio(promised, counts), ratio(happened, counts), counts


promised, happened, counts = calibration(held_out, labels, np.array([0, 0.2, 0.4, 0.6, 0.8, 1]))
error = np.sqrt(promised * (1 - promised) / counts)  # standard error of a share, if the promise is kept
print(f"{'birds':20s}{'promised':>12s}{'happened':>12s}{'std. error':>12s}")
for count, mean, share, deviation in zip(counts, promised, happened, error):
    print(f"{count:<20d}{mean:12.3f}{share:12.3f}{deviation:12.3f}")
assert np.all(np.abs(happened - promised) < 4 * error) and error.max() < 0.2

# %% [markdown]
# And a model that does not keep its promises? Multiply all scores by three, as in lesson 3.2: accuracy,
# ROC curve and AUC are the same to the last bird, and the promises are broken.

# %%
boasting = probability(3 * np.log(held_out / (1 - held_out)))  # the score is the logarithm of the odds
boast, boast_happened, boast_counts = calibration(boasting, labels, np.array([0, 0.2, 0.4, 0.6, 0.8, 1]))
sure = np.maximum(boasting, 1 - boasting) > 0.99
sure_error = np.mean((boasting[sure] > 0.5) != labels[sure])
print(f"{sure.sum()} birds called with over 99 % certainty, {sure_error:.1%} of them wrongly")
assert np.array_equal(boasting > 0.5, held_out > 0.5) and sure_error > 0.015
np.testing.assert_allclose(area(*roc_curve(boasting, labels)[:2]), area(*roc_curve(held_out, labels)[:2]))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
ax.errorbar(promised, happened, 2 * error, fmt="o", color="C1", capsize=3, label="our model, ± 2 std. errors")
ax.plot(boast, boast_happened, "s", color="C0", fillstyle="none", label="scores times three")
ax.set(
    xlabel="promised probability of male", ylabel="share that was male", title="Our model keeps its promises"
)
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## Why two held-out sets?
#
# The validation set chooses; so its grade is flattered by the choice. The purest case: many models that
# toss a coin for each bird. Choose the one with the best validation accuracy and grade it again on the
# test birds. We repeat this, to see past luck.

# %%
n_models, flattered, honest = 200, [], []
for _ in range(100):
    tosses = rng.integers(2, size=(n_models, len(labels)))
    right_on = tosses == labels  # (n_models, n)
    best = right_on[:, validation].mean(axis=1).argmax()
    flattered.append(right_on[best, validation].mean())
    honest.append(right_on[best, test].mean())
print(f"best of {n_models} coins: validation {np.mean(flattered):.1%}, test {np.mean(honest):.1%}")
assert np.mean(flattered) > 0.6 and abs(np.mean(honest) - 0.5) < 4 * 0.5 / np.sqrt(100 * len(test))

# %% [markdown]
# Whatever was chosen on a set cannot be graded by it. So the test set is opened once, at the end. Opening
# it again and again, to pick what does best there, turns it into a second validation set. (This lesson
# looks at its test birds often, to show what a grade can tell. It picks nothing by them.)
#
# ## Is a difference real?
#
# Two models differ by two points on the test birds: skill, or these birds? We cannot catch others, but we
# can pretend: draw as many birds from the test set, with putting back, and compute the grade again, many
# times. The middle 95 in 100 of those grades are a *bootstrap interval*.


# %%
def bootstrap_interval(values, n_resamples, rng, level=0.95):
    """Ends of the middle `level` of the means of resamples of values (n,), and those means (n_resamples,)."""
    picks = rng.integers(len(values), size=(n_resamples, len(values)))
    means = values[picks].mean(axis=1)  # (n_resamples, n) -> (n_resamples,)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return low, high, means


right = (predictions[test] == labels[test]).astype(float)  # (n_test,)
low, high, means = bootstrap_interval(right, 4000, rng)
standard_error = np.sqrt(right.mean() * (1 - right.mean()) / len(right))
print(f"accuracy {right.mean():.1%}, interval {low:.1%} to {high:.1%}")
print(f"spread of the resampled accuracies {means.std():.4f}, by the formula {standard_error:.4f}")
assert abs(means.std() / standard_error - 1) < 4 / np.sqrt(2 * len(means))

# %% [markdown]
# For one share there is a formula; the bootstrap also works where there is none. To compare two models,
# resample *birds* and take both models' answers on them: what makes a bird hard for both then cancels.
# Does a model of bill depth and mass do worse than all four measurements? Does bill length alone?

# %%
differences = {}
for name, columns in (("depth and mass", (1, 3)), ("bill length only", (0,))):
    rival = (fit(train, columns)[-1][test] > 0) == labels[test]
    differences[name] = bootstrap_interval(right - rival, 4000, rng)
    low, high, _ = differences[name]
    print(f"all four against {name:18s}{np.mean(right - rival):+.3f}, interval {low:+.3f} to {high:+.3f}")
assert differences["depth and mass"][0] < 0 < differences["depth and mass"][1]
assert differences["bill length only"][0] > 0.05

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, (name, (low, high, means)) in enumerate(differences.items()):
    style = {"color": f"C{i}", "hatch": ("", "//")[i], "edgecolor": "white", "alpha": 0.8}
    ax.hist(means, bins=(np.arange(-14, 70, 2) - 0.5) / len(test), label=f"against {name}", **style)
    ax.plot([low, high], [-20 - 20 * i] * 2, linewidth=4, color=f"C{i}")
ax.axvline(0, color="black", linewidth=1)
ax.set(xlabel="difference in accuracy, all four measurements minus fewer", ylabel="resamples")
ax.set_title("One difference is real, the other may be luck")
ax.legend()
plt.show()

# %% [markdown]
# ## Look at the mistakes
#
# A grade says how many; looking says why. The worst mistakes are the certain ones. Is there a kind of bird
# that the model does not understand, or a label that may itself be wrong?

# %%
surprise = np.logaddexp(0, np.where(labels == 1, -scores, scores))  # (n,): the cross-entropy of each bird
wrong = test[predictions[test] != labels[test]]
worst = wrong[np.argsort(-surprise[wrong])]
print("bird       truth     P(male)   bill (mm)     flipper (mm)   mass (g)")
for i in worst[:6]:
    length, depth, flipper, mass = measurements[i]
    print(f"{SPECIES[species[i]]:11s}{SEXES[labels[i]]:9s}{probability(scores[i]):8.3f}", end="   ")
    print(f"{length:5.1f} x {depth:4.1f}{flipper:13.0f}{mass:14.0f}")
margins = np.abs(scores[test])
is_wrong = predictions[test] != labels[test]
print(f"median |score|: wrong {np.median(margins[is_wrong]):.2f}, right {np.median(margins[~is_wrong]):.2f}")
assert np.median(margins[is_wrong]) < 0.6 * np.median(margins[~is_wrong])

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for sex, marker in ((0, "o"), (1, "^")):
    chosen = measurements[test][labels[test] == sex]
    ax.plot(chosen[:, 3], chosen[:, 1], marker, color="0.2", fillstyle="none", markersize=5, label=SEXES[sex])
ax.plot(
    measurements[wrong, 3],
    measurements[wrong, 1],
    "o",
    color="C1",
    fillstyle="none",
    markersize=13,
    label="mistake",
)
ax.set(xlabel="body mass (g)", ylabel="bill depth (mm)", title="The mistakes lie where the sexes meet")
ax.legend(loc="upper right", fontsize=9)
plt.show()

# %% [markdown]
# Two clouds, and one boundary for both: the heavy birds with shallow bills are gentoos. A model that may
# know the species could put a boundary into each cloud (try it).
#
# ## A new penguin
#
# What is all this for? A bird comes out of the water, somebody measures it, and the model answers with a
# probability. It must also know when not to answer. A model extrapolates without blushing, so we refuse
# what is missing, what is no number, and what is far from every bird it has learned from.


# %%
def predict_male(bird):
    """Probability that a bird, a dict with a value for each of COLUMNS, is male.

    Raises ValueError where a measurement is missing, is not a finite number, or lies further outside the
    training birds' range than half of that range.
    """
    values = []
    for name, column in zip(COLUMNS, measurements[train].T):  # (n, 4) -> (4, n)
        if name not in bird:
            raise ValueError(f"{name} is missing")
        try:
            value = float(bird[name])
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be a number, got {bird[name]!r}") from None
        slack = (column.max() - column.min()) / 2
        if not column.min() - slack <= value <= column.max() + slack:  # refuses nan too
            raise ValueError(
                f"{name} = {value:g} is unlike any bird seen ({column.min():g} to {column.max():g})"
            )
        values.append(value)
    return float(probability((np.array(values) - center) / spread @ weight + bias))  # (4,) @ (4,) -> ()


new_bird = {"bill_length_mm": 50.1, "bill_depth_mm": 19.5, "flipper_length_mm": 199, "body_mass_g": 4050}
print(f"male with probability {predict_male(new_bird):.3f}")
assert np.isclose(predict_male(dict(zip(COLUMNS, measurements[test[0]]))), probability(scores[test[0]]))

# %%
nonsense = [
    {**new_bird, "body_mass_g": "NA"},
    {**new_bird, "body_mass_g": 4.05},  # kilograms
    {**new_bird, "bill_depth_mm": float("nan")},
    {name: new_bird[name] for name in COLUMNS[:3]},
]
refusals = []
for bird in nonsense:
    try:
        predict_male(bird)
    except ValueError as error:
        refusals.append(str(error))
        print(error)
assert len(refusals) == len(nonsense)

# %% [markdown]
# ## What to remember
#
# - Accuracy means something beside a baseline, and little where one class is rare: look at precision and
#   recall, class by class.
# - AUC is the probability of ranking a pair rightly. It ignores the threshold, and it ignores calibration.
# - Training birds teach, validation birds choose, test birds grade, once.
# - A grade from a hundred birds has an interval. Resample the birds before believing a small difference.
# - Read the worst mistakes, and let the model refuse what it cannot know.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Give the model the species as three more columns, one-hot. Which mistakes go away? Is the difference
#    real?
# 2. Use 20 test birds. How wide does the interval of the accuracy become? Which difference survives?
# 3. Choose the threshold on the test set instead. How much better does the model look, and why is that a
#    lie?
#
# ## Sources
#
# - T. Fawcett, "An introduction to ROC analysis", *Pattern Recognition Letters* 27, 2006.
# - J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a receiver operating characteristic
#   curve", *Radiology* 143, 1982: the area as a probability.
# - B. Efron, "Bootstrap methods: another look at the jackknife", *Annals of Statistics* 7, 1979.
# - A. P. Dawid, "The well-calibrated Bayesian", *Journal of the American Statistical Association* 77, 1982.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
