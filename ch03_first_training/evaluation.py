# %% [markdown]
# # 3.4 Evaluation: what a grade says, and what it hides
#
# A smoke detector that never rings is right on nearly every night of the year, so its accuracy is superb,
# and nobody would buy it. A trained model comes with a number like "90 percent", too, and people decide by
# such numbers which model goes into a hospital or a car. This lesson is about the questions that a careful
# person asks before believing one.
#
# How good is a classifier really, and how sure can we be of the answer? **You will
# build** the common measures of a classifier, an interval for the luck in them, and a predictor that
# refuses nonsense. **You need** the split into three sets (3.1), the training loop of logistic regression
# (3.3), and probability with standard errors (2.8).

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
# Of ten birds four are male. A model says _male_ five times, and three of these five are males, so there
# are four cases to count. The males that are called male are the *true positives* (TP), here 3, and the
# females that are called male are the *false positives* (FP), 2. The male that is missed is a *false
# negative* (FN), and the females that are called female are 4 *true negatives* (TN). From these four
# numbers come four grades:
#
# $$\begin{aligned}
#   \text{accuracy: share that is right} \quad & \frac{TP + TN}{\text{all}} = \frac{7}{10} \\
#   \text{precision: of those called male, how many are?} \quad & \frac{TP}{TP + FP} = \frac35 \\
#   \text{recall: of the males, how many are found?} \quad & \frac{TP}{TP + FN} = \frac34 \\
#   F_1\text{: low if one of the last two is low} \quad & \frac{2}{1/\text{precision} + 1/\text{recall}}
#     = \frac{2\,TP}{2\,TP + FP + FN} = \frac69
# \end{aligned}$$
#
# The table of the counts, with the truth in its rows and the prediction in its columns, is the *confusion
# matrix*. It works for any number of classes, and then *precision*, *recall* and *F1 score* are computed
# for each class.


# %%
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


def ratio(part, whole):
    """part / whole, element by element; nan if whole is zero, because then the question has no answer."""
    part = np.asarray(part, dtype=np.float64)
    whole = np.asarray(whole, dtype=np.float64)
    # divides only where `whole` is not zero, and leaves the other entries of `out` as they are, nan
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


def grades(matrix):
    """Accuracy, and for each class precision, recall and f1 (K,); nan if nothing can be said."""
    right = np.diag(matrix)  # (K,)
    actual = matrix.sum(axis=1)  # (K,)
    called = matrix.sum(axis=0)  # (K,)
    return {
        "accuracy": float(ratio(right.sum(), matrix.sum())),
        "precision": ratio(right, called),  # nan: never predicted
        "recall": ratio(right, actual),  # nan: no such example
        "f1": ratio(2 * right, actual + called),  # nan: neither
    }


truth = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])  # 0 female, 1 male
guess = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
paper_grades = grades(confusion_matrix(truth, guess, 2))
print(confusion_matrix(truth, guess, 2))
print(f"accuracy {paper_grades['accuracy']}", end="")
for name in ("precision", "recall", "f1"):
    print(f"   {name} of males {paper_grades[name][1]:.3f}", end="")
never_male = grades(confusion_matrix(truth, np.zeros(10, dtype=int), 2))
print(f"\na model that never says male: precision {never_male['precision'][1]}, F1 {never_male['f1'][1]}")
np.testing.assert_array_equal(confusion_matrix(truth, guess, 2), [[4, 2], [1, 3]])
np.testing.assert_allclose(paper_grades["accuracy"], 7 / 10)
np.testing.assert_allclose(
    [paper_grades[name][1] for name in ("precision", "recall", "f1")], [3 / 5, 3 / 4, 6 / 9]
)

# %% [markdown]
# A model that never says male has no precision for males: zero over zero is neither good nor bad, so it is
# `nan`, which spreads through an average instead of hiding in it.
#
# ## Female or male?
#
# The species of a penguin is hardly a challenge. Its sex is harder to tell, from four measurements and
# without knowing the species, so there is more to grade. Birds of unknown sex are left out. The split is
# stratified by sex, and the test set is larger than usual, because this lesson is about grading. The model
# and its training are those of lesson 3.3, put into one function.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")
SEXES = ("female", "male")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
birds = [row for row in birds if row["sex"] in SEXES]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

# %%
species = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
labels = np.array([SEXES.index(row["sex"]) for row in birds])  # (n,)

parts = ([], [], [])
for sex in (0, 1):
    members = rng.permutation(np.flatnonzero(labels == sex))
    cuts = (np.array([0.45, 0.6]) * len(members)).astype(int)
    for part, piece in zip(parts, np.split(members, cuts)):
        part.extend(piece)
train, validation, test = (np.array(part) for part in parts)


def probability(scores):
    """The probability of male: the sigmoid of lesson 3.2, called `sigmoid` in the other lessons."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1, small) / (1 + small)


def fit(train, columns=(0, 1, 2, 3), n_steps=1000, learning_rate=1.0):
    """Logistic regression on the birds `train`: weight, bias, center, spread, and scores of all (n,)."""
    features = measurements[:, columns]  # (n, D)
    center = features[train].mean(axis=0)  # (D,)
    spread = features[train].std(axis=0)  # (D,)
    x = (features - center) / spread
    weight = np.zeros(len(columns))
    bias = 0.0
    for _ in range(n_steps):
        p = probability(x[train] @ weight + bias)  # (n, D) @ (D,) -> (n,)
        grad_z = (p - labels[train]) / len(train)  # (n,)
        weight -= learning_rate * (x[train].T @ grad_z)  # (D, n) @ (n,) -> (D,)
        bias -= learning_rate * grad_z.sum()
    return weight, bias, center, spread, x @ weight + bias  # (n, D) @ (D,) -> (n,)


weight, bias, center, spread, scores = fit(train)
predictions = (scores > 0).astype(int)
print(f"{np.sum(labels == 0)} females, {np.sum(labels == 1)} males")
for name, part in (("training", train), ("validation", validation), ("test", test)):
    print(f"{name:20s}{len(part):12d} birds   accuracy {np.mean(predictions[part] == labels[part]):.1%}")

# %% [markdown]
# ## What accuracy hides
#
# The first question to ask is with what the model is compared. Half of the test birds are male, so a
# model that always says _female_, a baseline (1.4), is right about half of them. Now take a colony in
# which only one bird in ten is male. We make one by leaving out most of the males of the test set. Which
# of the four grades will still tell our model from the baseline?

# %%
males = test[labels[test] == 1]
females = test[labels[test] == 0]
colony = np.concatenate([females, males[: len(females) // 9]])
always_female = np.zeros(len(labels), dtype=int)
colony_grades = {}
print(f"{'':20s}{'':20s}{'accuracy':>12s}{'precision':>12s}{'recall':>12s}{'F1':>12s}   (of males)")
for place, part in (("all test birds", test), ("the colony", colony)):
    for who, answers in (("always female", always_female), ("our model", predictions)):
        graded = grades(confusion_matrix(labels[part], answers[part], 2))
        row = [graded["accuracy"], *(graded[name][1] for name in ("precision", "recall", "f1"))]
        print(f"{place:20s}{who:20s}" + "".join(f"{value:12.3f}" for value in row))
        colony_grades[f"{place}, {who}"] = graded

# %% [markdown]
# In the colony both have about the same accuracy, although one of them is useless. Recall tells them
# apart at a glance, because the baseline finds no male. Our model's precision is much lower in the colony
# than among all test birds, although it is the same model. If males are rare, more of those called male
# are mistaken females. So a grade belongs to a model _and_ to the birds on which it was measured. (The
# colony has seven males, so its recall is a rough number. We come to that.)
#
# ## Moving the threshold
#
# Why call a bird male from probability one half on? If missing a male is worse than a false alarm, we
# should ask for less. Each threshold gives a share of the males that are found, the *true positive rate*
# (which is recall again), and a share of the females that are called male, the *false positive rate*.
# Drawn for all thresholds, they form the *ROC curve* (receiver operating characteristic). The area under
# it, *AUC*, is a grade that does not depend on a threshold. It also means something: AUC is the
# probability that, of a male and a female picked at random, the male has the higher score (with a tie
# counted as half).


# %%
def roc_curve(scores, labels):
    """False and true positive rates (t,) at thresholds (t,) from strict to lax, for `scores >= threshold`.

    scores: (n,), labels: (n,) 0 or 1. Equal scores share a threshold. ValueError without both classes.
    """
    if scores.shape != labels.shape:
        raise ValueError(f"scores have shape {scores.shape} but labels {labels.shape}")
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"both classes, 0 and 1, must occur, got {np.unique(labels).tolist()}")
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    false_rate = np.array([np.mean(scores[labels == 0] >= threshold) for threshold in thresholds])
    true_rate = np.array([np.mean(scores[labels == 1] >= threshold) for threshold in thresholds])
    return false_rate, true_rate, thresholds


def area(false_rate, true_rate):
    """Area under a curve of straight pieces."""
    return float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))


def pairwise_ranking(scores, labels):
    """Share of pairs (one of class 1, one of class 0) in which class 1 scores higher; a tie counts half."""
    higher = 0
    ties = 0
    for male in scores[labels == 1]:
        higher += np.sum(male > scores[labels == 0])
        ties += np.sum(male == scores[labels == 0])
    return (higher + ties / 2) / (np.sum(labels == 1) * np.sum(labels == 0))


false_rate, true_rate, thresholds = roc_curve(scores[test], labels[test])
auc = area(false_rate, true_rate)
print(f"area {auc:.6f}   pairs ranked right {pairwise_ranking(scores[test], labels[test]):.6f}")
np.testing.assert_allclose(auc, pairwise_ranking(scores[test], labels[test]), rtol=1e-10)
rounded = np.round(scores)  # many ties
np.testing.assert_allclose(
    area(*roc_curve(rounded, labels)[:2]), pairwise_ranking(rounded, labels), rtol=1e-10
)

# %% [markdown]
# The area and the count over all pairs agree. Now suppose that we may miss at most one male in twenty. On
# the validation birds we choose the strictest threshold that achieves this, and then we ask whether it
# holds on the test birds.

# %%
_, validation_rate, validation_thresholds = roc_curve(scores[validation], labels[validation])
chosen_threshold = validation_thresholds[np.argmax(validation_rate >= 0.95)]  # the first, strictest one
points = {}
print(f"{'threshold':20s}{'P(male) from':>14s}{'males found':>14s}{'false alarms':>14s}")
for name, threshold in (("one half", 0.0), ("chosen", chosen_threshold)):
    called = scores[test] >= threshold
    points[name] = np.mean(called[labels[test] == 0]), np.mean(called[labels[test] == 1])
    print(f"{name:20s}{probability(threshold):14.2f}{points[name][1]:14.1%}{points[name][0]:14.1%}")

precision = [np.mean(labels[test][scores[test] >= threshold]) for threshold in thresholds[1:]]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
left.text(0.6, 0.52, "coin", color="0.4")
left.step(false_rate, true_rate, where="post", color="C1", label="our model")
for (name, point), marker in zip(points.items(), ("o", "^")):
    left.plot(*point, marker, color="0.2", markersize=8, fillstyle="none", label=f"threshold: {name}")
left.set(xlabel="false positive rate (females called male)", ylabel="true positive rate (males found)")
left.set_title("ROC curve on the test birds")
left.legend(loc="lower right")
right.plot(probability(thresholds[1:]), precision, color="C0", label="precision")
right.plot(probability(thresholds[1:]), true_rate[1:], "--", color="C1", label="recall")
right.set(xlabel="threshold (probability of male)", ylim=(0, 1.05))
right.set_title("Precision and recall at each threshold")
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# A perfect model's curve would go straight up and then to the right, and that of a coin along the
# diagonal. The chosen threshold is below one half here, so it finds more males and pays with more false
# alarms. That it finds about as many males as was asked for is luck, because it rests on the lowest scores
# of a few validation males. On a hundred other splits the threshold that was chosen in this way found
# between two thirds and all of the test males. And on about a quarter of these splits it was above one
# half, so that it found fewer males than the usual threshold does. On the right, a higher threshold
# lowers recall and, on the whole, raises precision. Which point is best depends on what the two kinds of
# mistake cost, and none of these measures knows the costs.
#
# ## Who chooses may not grade
#
# The threshold was chosen on the validation set and graded on the test set. Would one set not have been
# enough for both purposes? The purest case is that of two hundred models that toss a coin for each bird.
# Choose the one with the best validation accuracy, and grade it once more on the test birds. We repeat
# all this a hundred times.

# %%
n_models = 200
chosen_on_validation = []
graded_on_test = []
for _ in range(100):
    tosses = rng.integers(2, size=(n_models, len(labels)))
    is_right = tosses == labels  # (n_models, n)
    best = is_right[:, validation].mean(axis=1).argmax()
    chosen_on_validation.append(is_right[best, validation].mean())
    graded_on_test.append(is_right[best, test].mean())
print(f"best of {n_models} coins: validation {np.mean(chosen_on_validation):.1%}", end=", ")
print(f"test {np.mean(graded_on_test):.1%}")

# %% [markdown]
# On the set that chose it, the best coin looks like a model that has learned something. On the test birds
# it is a coin. So whatever was chosen by a set cannot be graded by it, and this holds for the test set,
# too: if we open it again and again to pick what does best there, it has become a second validation set.
# (This lesson looks at its test birds often, to show what a grade can tell, but it picks nothing by
# them.)
#
# ## How sure is a grade?
#
# A grade from a hundred birds has luck in it. We cannot catch another hundred, but we can imitate it:
# draw as many birds from the test set, putting each one back, and compute the grade again. The middle 95
# percent of many such grades is a *bootstrap* interval. For comparing two models we draw _birds_, and
# take both models' answers on them, so that a bird which is hard for both counts for neither. Is a model
# of bill depth and mass worse than our model of four measurements? Is a model of bill length alone?


# %%
def bootstrap_interval(values, n_resamples, rng, level=0.95):
    """Ends of the middle `level` of the means of resamples of values (n,), and those means (n_resamples,).

    Raises ValueError without values or resamples.
    """
    if len(values) == 0 or n_resamples < 1:
        raise ValueError(f"no interval from {n_resamples} resamples of {len(values)} values")
    picks = rng.integers(len(values), size=(n_resamples, len(values)))
    means = values[picks].mean(axis=1)  # (n_resamples, n) -> (n_resamples,)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return low, high, means


right_answers = (predictions[test] == labels[test]).astype(float)  # (n_test,): 1 if right
low, high, accuracies = bootstrap_interval(right_answers, 4000, rng)
standard_error = np.sqrt(right_answers.mean() * (1 - right_answers.mean()) / len(right_answers))
print(f"accuracy {right_answers.mean():.1%}, interval {low:.1%} to {high:.1%}")
print(f"standard error: by bootstrap {accuracies.std():.4f}, by formula (2.8) {standard_error:.4f}")

differences = {}
for name, columns in (("depth and mass", (1, 3)), ("bill length alone", (0,))):
    rival_scores = fit(train, columns)[-1]  # (n,): the last of the five things that fit returns
    rival = (rival_scores[test] > 0) == labels[test]  # (n_test,)
    differences[name] = bootstrap_interval(right_answers - rival, 4000, rng)
    low, high, _ = differences[name]
    print(f"all four minus {name:18s}{np.mean(right_answers - rival):+.3f}", end="")
    print(f", interval {low:+.3f} to {high:+.3f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, (name, (low, high, means)) in enumerate(differences.items()):
    bins = np.arange(means.min() - 0.5 / len(test), means.max() + 2 / len(test), 2 / len(test))
    style = {"color": f"C{i}", "hatch": ("", "//")[i], "edgecolor": "white", "alpha": 0.8}
    ax.hist(means, bins=bins, label=name, **style)
    ax.plot([low, high], [-30, -30], linewidth=4, color=f"C{i}", label="95 % of the resamples")
ax.axvline(0, color="black", linewidth=1)
ax.set(xlabel="accuracy of all four measurements minus that of fewer", ylabel="number of resamples")
ax.set_title("Resampled differences to two smaller models")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# The interval of the first difference contains zero: the two models may well be equally good, and these
# test birds cannot tell. The second interval is far from zero, so the bill alone is really worse.
#
# What does the interval hold fixed? It draws new sets of test birds, but both _models_ stay as they are.
# It says nothing of what another training set would have done to them. This we can measure as well: draw
# the training birds with replacement, train again, and grade on the same test birds.

# %%
retrained = []
for _ in range(50):
    drawn = rng.choice(train, size=len(train))
    retrained_scores = fit(drawn, n_steps=300)[-1]  # (n,)
    retrained.append(np.mean((retrained_scores[test] > 0) == labels[test]))
print(f"spread of the accuracy: other test birds {accuracies.std():.4f}, ", end="")
print(f"other training birds {np.std(retrained):.4f}")

# %% [markdown]
# Here another training set moves the accuracy about two thirds as far as other test birds do (on four
# other splits it was between 0.45 and 0.7 times as far), and no bootstrap of the test birds shows that.
# (To save time these models were trained for 300 steps instead of 1,000, which makes hardly any
# difference to their spread.) How experiments are repeated with several training sets and starts is the
# subject of lesson 7.7.
#
# ## Look at the mistakes
#
# A grade says how many mistakes there are, and looking at them says why. The worst are those of which the
# model was most certain. Is there a kind of bird that it does not understand?

# %%
bird_losses = np.logaddexp(0, np.where(labels == 1, -scores, scores))  # (n,)
is_wrong = predictions[test] != labels[test]  # (n_test,)
wrong = test[is_wrong]
worst_first = wrong[np.argsort(-bird_losses[wrong])]
print(f"{'species':12s}{'truth':8s}{'P(male)':>8s}{'bill (mm)':>14s}{'flipper (mm)':>14s}{'mass (g)':>10s}")
for i in worst_first[:6]:
    length, depth, flipper, mass = measurements[i]
    print(f"{SPECIES[species[i]]:12s}{SEXES[labels[i]]:8s}{probability(scores[i]):8.2f}", end="")
    print(f"{length:7.1f} x {depth:4.1f}{flipper:14.0f}{mass:10.0f}")
certainty = np.abs(scores[test])
medians = [np.median(certainty[is_wrong]), np.median(certainty[~is_wrong])]
print(f"median |score|: of the wrong answers {medians[0]:.2f}, of the right ones {medians[1]:.2f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for sex, marker in ((0, "o"), (1, "^")):
    shown = measurements[test][labels[test] == sex]
    ax.plot(shown[:, 3], shown[:, 1], marker, color="0.2", fillstyle="none", label=SEXES[sex])
style = {"color": "C1", "fillstyle": "none", "markersize": 13}
ax.plot(measurements[wrong, 3], measurements[wrong, 1], "o", label="mistake", **style)
ax.set(xlabel="body mass (g)", ylabel="bill depth (mm)", title="The test birds and the mistakes")
ax.legend(loc="upper right", fontsize=9)
plt.show()

# %% [markdown]
# There are two clouds, and the heavy birds with the shallow bills are the gentoos. In both clouds the
# mistakes lie where the sexes meet, and on most of them the model was less certain than usual. One straight
# boundary has to serve both clouds. A model that knows the species could put a boundary into each.
#
# ## A new penguin
#
# What is all this for? Somebody measures a new bird, and the model answers with a probability. It must also
# know when not to answer, because a model gives a probability for anything, be it a bird of four grams. So
# we refuse what is missing, what is no number, and what is far from all the birds that it has learned from.


# %%
def predict_male(bird):
    """Probability that a bird, a dict with a value for each of COLUMNS, is male.

    Raises ValueError if a measurement is missing, is not a finite number, or lies further outside the
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
        if not column.min() - slack <= value <= column.max() + slack:  # refuses nan, too
            seen = f"{column.min():g} to {column.max():g}"
            raise ValueError(f"{name} = {value:g} is unlike any bird seen ({seen})")
        values.append(value)
    x = (np.array(values) - center) / spread  # (4,): the same scale as in training
    return float(probability(x @ weight + bias))  # (4,) @ (4,) -> ()


new_bird = {"bill_length_mm": 50.1, "bill_depth_mm": 19.5, "flipper_length_mm": 199, "body_mass_g": 4050}
print(f"male with probability {predict_male(new_bird):.3f}")
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
    except ValueError as refusal:
        refusals.append(str(refusal))
        print(refusal)

# %% [markdown]
# The new bird is prepared exactly as the training birds were, and all four pieces of nonsense are refused.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
ours = colony_grades["the colony, our model"]
baseline = colony_grades["the colony, always female"]
elsewhere = colony_grades["all test birds, our model"]
assert abs(baseline["accuracy"] - ours["accuracy"]) < 0.06, "in the colony both have about one accuracy"
assert baseline["recall"][1] == 0 and ours["recall"][1] > 0.5, "recall tells the two apart"
assert ours["precision"][1] < elsewhere["precision"][1] - 0.15, "where males are rare, precision is lower"
assert points["chosen"][1] > points["one half"][1], "here the chosen threshold finds more males"
assert points["chosen"][0] > points["one half"][0], "and pays with more false alarms"
assert abs(points["chosen"][1] - 0.95) < 0.06, "on this split it finds about as many as was asked for"
assert np.mean(chosen_on_validation) > 0.6, "the set that chose a coin makes it look skilled"
assert abs(np.mean(graded_on_test) - 0.5) < 0.02, "other birds show that it is a coin"
low, high, _ = differences["depth and mass"]
assert low < 0 < high, "these birds cannot tell whether two measurements are worse than four"
assert differences["bill length alone"][0] > 0.1, "the bill length alone is really worse"
relative_error = accuracies.std() / standard_error
assert abs(relative_error - 1) < 4 / np.sqrt(2 * 4000), "bootstrap and formula agree on a share"
relative_spread = np.std(retrained) / accuracies.std()
assert 0.5 < relative_spread < 0.85, "the training set adds about two thirds as much luck"
assert medians[0] < 0.6 * medians[1], "on its mistakes the model was less certain"
assert len(refusals) == len(nonsense), "each piece of nonsense is refused"

# %% [markdown]
# ## Going further
#
# This part can be skipped. It asks whether probabilities can be taken at their word, which comes back in
# lesson 8.6.
#
# ### Are its promises kept?
#
# A probability is a promise about many birds: of those that are called male with 0.8, eight in ten should
# be males. A model that keeps such promises is *calibrated*. To check this we need many birds, so we cut
# all of them into ten *folds*, and each fold is judged by a model that was trained on the other nine,
# which is called *cross-validation*. Then we compare with the model that multiplies all its scores by
# three, as in lesson 3.2. Its ROC curve is the same, but what about its promises?


# %%
def calibration(probabilities, labels, edges):
    """For each bin between the edges (k + 1,): mean probability, share of class 1, count, each (k,).

    A bin takes its lower edge, the last bin both. nan in an empty bin.
    """
    bins = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    promised = np.bincount(bins, weights=probabilities, minlength=len(edges) - 1)
    happened = np.bincount(bins, weights=labels, minlength=len(edges) - 1)
    return ratio(promised, counts), ratio(happened, counts), counts


held_out = np.zeros(len(labels))  # (n,): P(male) from a model that never saw the bird
for fold in np.array_split(rng.permutation(len(labels)), 10):
    others = np.setdiff1d(np.arange(len(labels)), fold)
    held_out[fold] = probability(fit(others)[-1][fold])
boasting = probability(3 * np.log(held_out / (1 - held_out)))  # the score is the logarithm of p / (1 - p)
np.testing.assert_allclose(area(*roc_curve(boasting, labels)[:2]), area(*roc_curve(held_out, labels)[:2]))

edges = np.array([0, 0.2, 0.4, 0.6, 0.8, 1])
off_by = {}  # in standard errors, for each bin
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
print(f"{'':20s}{'birds':>12s}{'promised':>12s}{'happened':>12s}{'off by':>12s}   (standard errors)")
for name, p, marker in (("our model", held_out, "o"), ("scores times three", boasting, "s")):
    promised, happened, counts = calibration(p, labels, edges)
    errors = np.sqrt(promised * (1 - promised) / counts)  # of a share, if the promise is kept
    off_by[name] = (happened - promised) / errors
    for row in zip(counts, promised, happened, off_by[name]):
        print(f"{name:20s}{row[0]:12d}{row[1]:12.3f}{row[2]:12.3f}{row[3]:12.1f}")
    ax.errorbar(promised, happened, 2 * errors, fmt=marker, capsize=3, fillstyle="none", label=name)
ax.set(xlabel="promised probability of male", ylabel="share that was male")
ax.set_title("Promised and happened, ± 2 standard errors")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Our model's points lie on the diagonal within two standard errors. Of the other model the three points
# in the middle look fine, too, but that is because they hold few birds and have long error bars. Its
# broken promises are in the two end bins, where it puts nearly all birds. It is almost certain of them,
# and wrong on more than one in twenty. There the bars are short, and the points are many standard errors
# off.

# %%
assert np.abs(off_by["our model"]).max() < 3, "our model keeps its promises"
assert np.abs(off_by["scores times three"][[0, -1]]).min() > 5, "the boasting model breaks its own"
assert happened[0] > 0.05 and happened[-1] < 0.95, "it is wrong on more than one in twenty there"
assert np.abs(off_by["scores times three"][1:-1]).max() < 3, "the bins in the middle cannot show it"

# %% [markdown]
# ## What to remember
#
# - Accuracy means something beside a baseline, and little if one class is rare. Look at precision and
#   recall.
# - A threshold trades one kind of mistake for the other. AUC is the probability of ranking a pair rightly,
#   whatever the threshold.
# - Training birds teach, validation birds choose, test birds grade, once.
# - A grade from a hundred birds has an interval. Resampling the test birds shows their luck, but not that
#   of the training set.
# - Read the worst mistakes, and let the model refuse what it cannot know.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top. An AssertionError at the end is no
# damage: it names the claim that your change has overturned.
#
# 1. Make the test set small: `[0.45, 0.9]` in place of `[0.45, 0.6]`, which leaves about 34 test birds.
#    How wide will the interval of the accuracy become? Use that a standard error shrinks with the square
#    root of the number of birds, then look at the line that is printed.
# 2. Ask for nearly all males: `validation_rate >= 1.0` in place of `0.95`. Where on the ROC curve of the
#    first figure will the triangle be, and what is the price?
# 3. From a blank cell at the end: give the model the species as three more columns (one-hot, 3.1), by a
#    function like `fit`, and grade it on the test birds. Is the difference to our model real? Compare it by
#    `bootstrap_interval`.
#
# ## Sources
#
# - T. Fawcett, "An introduction to ROC analysis", _Pattern Recognition Letters_ 27, 2006.
# - J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a receiver operating characteristic
#   curve", _Radiology_ 143, 1982: the area as a probability. Reproduced:
#   test_area_equals_the_pairwise_ranking_probability.
# - B. Efron, "Bootstrap methods: another look at the jackknife", _Annals of Statistics_ 7, 1979.
#   Reproduced: "bootstrap and formula agree on a share".
# - A. P. Dawid, "The well-calibrated Bayesian", _Journal of the American Statistical Association_ 77, 1982.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
