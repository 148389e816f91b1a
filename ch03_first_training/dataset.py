# %% [markdown]
# # 3.1 A dataset: examples to learn from, and examples to be tested on
#
# A ranger hands us a file with the measurements of 344 penguins and asks for a program that names the
# species of the next one. Before a model can learn anything from this file, somebody has to decide what to
# do with missing numbers, which birds are for learning and which are for testing, and how millimetres
# compare with grams. None of this is exciting, but a mistake made here is not reported by any error
# message. It comes out as a grade that is too good, and is found when the program fails in use.
#
# What has to be done to a table before a model can learn from it and be tested fairly? **You will build**
# a reader that refuses broken rows, a split into three sets, and a scale that does not look at the test
# birds. **You need** arrays and their shapes (2.1, 2.2), and mean, standard deviation and chance (2.8).

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
# A file of comma-separated values (CSV) is text. Its first line names the columns, and every other line
# is one bird, one _example_. Cover the species with a finger. What you can still see are the numbers to
# decide from, the *features* (1.3), and what you have covered is the answer, the label (1.1). From the
# first bird of the file we take two features, and write them as a vector:
#
# $$\begin{aligned}
#   \text{line of the file} \quad & \texttt{Adelie,Torgersen,39.1,18.7,181,3750,male,2007} \\
#   \text{features: bill and flipper in mm} \quad & x = (39.1,\ 181) \\
#   \text{label} \quad & \text{Adelie}
# \end{aligned}$$
#
# There are three possible answers, the *classes* (1.1): Adelie, Chinstrap and Gentoo. A model that has to
# choose one of several classes does *classification* (1.1). If the answer is a number on a scale, such as
# the mass of the bird in kilograms, the task is called *regression* (1.3). The line through the penguins
# in lesson 2.4 was regression, and this chapter is about classification.

# %%
lines = (HERE / "data" / "penguins.csv").read_text(encoding="utf-8").splitlines()
print(*lines[:5], sep="\n")

header = lines[0].split(",")
first_bird = dict(zip(header, lines[1].split(","), strict=True))
features = [float(first_bird["bill_length_mm"]), float(first_bird["flipper_length_mm"])]
print(f"\nfeatures {features}   label {first_bird['species']}")
assert features == [39.1, 181.0] and first_bird["species"] == "Adelie"

# %% [markdown]
# ## What is missing
#
# The fourth bird has no measurements, because the file says `NA`, not available. `csv.DictReader` splits
# every line as we have just done, and gives one dictionary for each row. Before we use a column, we count
# its gaps.

# %%
rows = list(csv.DictReader(lines))
print(f"{len(rows)} birds")
for name in header:
    n_missing = sum(row[name] == "NA" for row in rows)
    print(f"{name:20s}{n_missing:12d} missing")

# %% [markdown]
# What shall we do with a gap? We could write a zero, or the mean of all other birds, or we could leave the
# row out. Only two of 344 flippers are missing, so one might expect that it hardly matters. We try all
# three, and look at the mean and the spread (the standard deviation) of the column afterwards.

# %%
texts = [row["flipper_length_mm"] for row in rows]
# float("nan") is "not a number", which NumPy can find again
flippers = np.array([float("nan" if text == "NA" else text) for text in texts])  # (344,)
is_missing = np.isnan(flippers)  # (344,)
treated = {
    "a zero instead": np.where(is_missing, 0.0, flippers),
    "the mean instead": np.where(is_missing, np.nanmean(flippers), flippers),
    "row left out": flippers[~is_missing],
}
print(f"{'flipper length':20s}{'mean (mm)':>12s}{'spread (mm)':>12s}")
for name, values in treated.items():
    print(f"{name:20s}{values.mean():12.2f}{values.std():12.2f}")

# %% [markdown]
# Two zeros among hundreds of birds have made the spread larger by nearly a half, because each of them is
# two hundred millimetres from everybody else. The mean in place of a gap does little harm here, but it
# invents birds that belong to no species, and it makes the spread a little too small. We leave out the
# rows that lack a feature which we use. If a tenth of the rows had gaps, or if all gaps were in one
# species, we would have to think longer, because the birds that are left could differ from all birds.
#
# ## From text to numbers
#
# A model needs numbers. The features become a row of a matrix, and the label becomes the position of its
# name in `SPECIES`. What should the reader do with a row that it does not understand, for instance a
# species with a spelling mistake? If it skips the row, nobody ever hears of the mistake. So it stops and
# names the line. (For a table of your own, give it your columns and classes. A file that Excel has saved is
# often opened with `encoding="utf-8-sig"`, and where it separates fields by semicolons, `csv.DictReader`
# takes `delimiter=";"`.)

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")


def read_penguins(lines, columns, species):
    """Measurements (n, len(columns)) and labels (n,), an index into `species`, from lines of CSV.

    Rows with "NA" in one of the columns are left out. Raises ValueError, naming the line, if the header
    lacks a column, or if a row has too few or too many fields, an unknown species, or a measurement that
    is not a positive number.
    """
    measurements = []
    labels = []
    reader = csv.DictReader(lines)
    header = reader.fieldnames or []
    for name in ("species", *columns):
        if name not in header:
            raise ValueError(f"line 1: no column {name!r} in the header {header}")
    for row in reader:
        where = f"line {reader.line_num}"
        if None in row or None in row.values():  # DictReader's marks for too many and too few fields
            raise ValueError(f"{where}: expected {len(reader.fieldnames)} fields")
        if row["species"] not in species:
            raise ValueError(f"{where}: unknown species {row['species']!r}")
        texts = [row[name] for name in columns]
        if "NA" in texts:
            continue
        try:
            numbers = [float(text) for text in texts]
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if not all(0 < number < np.inf for number in numbers):  # refuses nan, too
            raise ValueError(f"{where}: measurements must be positive numbers, got {numbers}")
        measurements.append(numbers)
        labels.append(species.index(row["species"]))
    shape = (len(labels), len(columns))  # in full, so that a file without birds gives (0, D)
    return np.array(measurements, dtype=np.float64).reshape(shape), np.array(labels, dtype=np.int64)


measurements, labels = read_penguins(lines, COLUMNS, SPECIES)
print(f"measurements {measurements.shape}   labels {labels.shape}")

# %% [markdown]
# A check that has never refused anything is not known to work. We break the second bird in five ways and
# expect five complaints about line 3.

# %%
broken_rows = [
    "Emperor,Torgersen,39.5,17.4,186,3800,female,2007",
    "Adelie,Torgersen,39.5,17.4,186",
    "Adelie,Torgersen,39,5,17,4,186,3800,female,2007",  # decimal commas
    "Adelie,Torgersen,39.5 mm,17.4,186,3800,female,2007",
    "Adelie,Torgersen,39.5,-17.4,186,3800,female,2007",
]
refusals = []
for broken_row in broken_rows:
    try:
        read_penguins([*lines[:2], broken_row, *lines[3:]], COLUMNS, SPECIES)
    except ValueError as error:
        refusals.append(str(error))
        print(error)

# %% [markdown]
# All five are refused, each with its reason. Now that we know the file to be sound, a short form is
# enough. The next lines stand in every lesson of this course that uses the penguins. They keep the
# species in `SPECIES` and drop all others, misspelt ones too, so they are only for a file that has been
# checked.

# %%
with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
short_measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, 4)
short_labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
np.testing.assert_array_equal(short_measurements, measurements)
np.testing.assert_array_equal(short_labels, labels)

# %% [markdown]
# ## Look before you split
#
# Two things can be looked at without learning anything about a single bird: whether the ranges are
# possible at all, and how many examples each class has (how _balanced_ the classes are). And one thing
# must be looked at before any split: in which order did somebody write down the birds? The dashed lines
# below cut the file at 60 and at 80 percent.

# %%
print(f"{'':20s}{'lowest':>12s}{'mean':>12s}{'highest':>12s}")
for name, values in zip(COLUMNS, measurements.T):  # (n, 4) -> (4, n): one row for each column
    print(f"{name:20s}{values.min():12.1f}{values.mean():12.1f}{values.max():12.1f}")
counts = np.bincount(labels)  # (3,)
print()
for name, count in zip(SPECIES, counts):
    print(f"{name:20s}{count:12d} birds{count / len(labels):12.1%}")

# %%
TITLES = ("Adélie", "chinstrap", "gentoo")
MARKERS = ("o", "^", "s")


def draw_birds(ax, values, labels, color="0.2", size=4):
    """Points at values (n, 2), with one hollow marker for each species."""
    style = {"color": color, "linestyle": "none", "fillstyle": "none", "markersize": size}
    for label, (title, marker) in enumerate(zip(TITLES, MARKERS)):
        chosen = values[labels == label]  # (m, 2)
        ax.plot(chosen[:, 0], chosen[:, 1], marker, label=title, **style)


fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
places = np.stack([np.arange(len(labels)), labels], axis=1)  # two (n,) -> (n, 2)
draw_birds(ax, places, labels)
for share in (0.6, 0.8):
    ax.axvline(share * len(labels), color="0.5", linestyle="--", linewidth=0.8)
ax.set(xlabel="place in the file", yticks=range(3), yticklabels=TITLES, ylim=(-0.5, 2.5))
ax.set_title("The file is sorted by species")
plt.show()

# %% [markdown]
# The file is sorted: first all Adélies, then all gentoos, then all chinstraps. If we learned from the
# first 60 percent and tested on the last 20, the model would be tested on chinstraps only, and it would
# never have seen one.
#
# ## Three sets, at random or class by class
#
# The examples are divided into three sets. The *training set* (1.1) is for learning, the *validation set*
# (1.4) for choosing between several models, and the *test set* (1.1) for one grade at the very end. Why
# three? Because a model that was chosen by its grade looks better by this grade than it is, as lesson 3.4
# shows. To undo the order of the file, we shuffle before we cut.


# %%
def shuffled_split(n, shares, rng):
    """Random index arrays that divide 0 … n-1 into parts of the given shares.

    Raises ValueError if the shares are not positive or do not sum to one.
    """
    if not np.isclose(sum(shares), 1) or min(shares) <= 0:
        raise ValueError(f"shares must be positive and sum to 1, got {shares}")
    cuts = np.round(np.cumsum(shares)[:-1] * n).astype(int)
    return np.split(rng.permutation(n), cuts)


def stratified_split(labels, shares, rng):
    """As `shuffled_split`, with each class's share in every part as near to the whole's as rounding allows.

    labels: (n,) class indices. Raises ValueError if a class is too small to be in every part.
    """
    parts = [[] for _ in shares]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)  # the places of this class
        pieces = shuffled_split(len(members), shares, rng)
        if min(len(piece) for piece in pieces) == 0:
            raise ValueError(f"class {label} has {len(members)} examples, too few for shares {shares}")
        for part, piece in zip(parts, pieces):
            part.extend(members[piece])
    return [rng.permutation(part) for part in parts]  # without this, each part is sorted by class


# %% [markdown]
# The second function splits _each class by itself_ and puts the pieces together, which is called a
# *stratified* split. Does that make a difference, or is shuffling fair enough? We split a thousand times
# in either way, and count the chinstraps in the validation set. There are 68 of them, so a fifth is
# between 13 and 14.

# %%
shares = (0.6, 0.2, 0.2)
shuffled_counts = [np.sum(labels[shuffled_split(len(labels), shares, rng)[1]] == 1) for _ in range(1000)]
stratified_counts = [np.sum(labels[stratified_split(labels, shares, rng)[1]] == 1) for _ in range(1000)]
print(f"shuffled:   {min(shuffled_counts)} to {max(shuffled_counts)} chinstraps")
print(f"stratified: {min(stratified_counts)} to {max(stratified_counts)} chinstraps")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
bins = np.arange(min(shuffled_counts), max(shuffled_counts) + 2) - 0.5
ax.hist(shuffled_counts, bins=bins, color="C0", edgecolor="white", label="shuffled")
ax.axvline(stratified_counts[0], color="C1", linestyle="--", linewidth=2, label="stratified, every time")
ax.set(xlabel="chinstraps in the validation set", ylabel="number of splits")
ax.set_title("Chinstraps in the validation set of a thousand splits")
ax.legend()
plt.show()

# %% [markdown]
# A shuffled split is fair on average only. Among a thousand of them some validation sets get fewer than
# half as many chinstraps as they should, and others nearly twice as many. Stratifying takes this part of
# the luck out, so that is what we use when a class is small. With thousands of examples of every class,
# shuffling is good enough and common. (A third kind of split is needed when examples belong together,
# such as neighbouring days or several photos of one patient. Then the whole group has to go into one
# set.)

# %%
train, validation, test = stratified_split(labels, shares, rng)
print(f"{len(train)} to train on, {len(validation)} to validate, {len(test)} to test")
everyone = np.arange(len(labels))
np.testing.assert_array_equal(np.sort(np.concatenate([train, validation, test])), everyone)
for part, share in zip((train, validation, test), shares):
    np.testing.assert_allclose(np.bincount(labels[part]), share * counts, atol=1)

# %% [markdown]
# No bird is in two sets, none is lost, and every set has its share of each species, to within one bird.
#
# ## One scale for all features
#
# Which of two birds is more like ours: one whose bill is 5 mm longer, or one that is 100 g heavier? Before
# distances mean anything, the units have to go. To *standardise* a feature means to count from its mean
# $\mu$ in steps of its spread $\sigma$. For eight flippers of 182, 184, 184, 184, 185, 185, 187 and 189 mm
# it can be done in the head:
#
# $$\begin{aligned}
#   \text{mean} \quad \mu &= \tfrac1n \textstyle\sum_i x_i = 1480 / 8 = 185 \\
#   \text{spread} \quad \sigma &= \sqrt{\tfrac1n \textstyle\sum_i (x_i - \mu)^2} = \sqrt{32 / 8} = 2 \\
#   \text{the last flipper} \quad \frac{x - \mu}{\sigma} &= (189 - 185) / 2 = 2
# \end{aligned}$$


# %%
def fit_scale(x):
    """Mean and spread of each column of x (n, D), both (D,).

    Raises ValueError without rows, or if a column is constant, which means that its spread is no more than
    the rounding of its numbers.
    """
    x = np.asarray(x)
    if len(x) == 0:
        raise ValueError("there are no rows to measure")
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    # these two lines are the scale
    center = x.mean(axis=0)  # (n, D) -> (D,)
    spread = np.sqrt(((x - center) ** 2).mean(axis=0))  # (n, D) - (D,) -> (n, D) -> (D,)
    # and this refuses a column whose spread is only rounding (eps is the gap between 1 and the next float)
    rounding = 100 * np.finfo(x.dtype).eps * np.abs(x).max(axis=0)  # (D,)
    if np.any(spread <= rounding):
        raise ValueError(f"columns {np.flatnonzero(spread <= rounding).tolist()} are constant")
    return center, spread


eight_flippers = np.array([182, 184, 184, 184, 185, 185, 187, 189])[:, None]  # (8,) -> (8, 1)
center, spread = fit_scale(eight_flippers)
print(f"mean {center[0]}   spread {spread[0]}   last flipper at {(189 - center[0]) / spread[0]}")
assert (center[0], spread[0]) == (185, 2)

# %% [markdown]
# (Why not compare the spread with zero? Ten times 182.6 has a computed spread of about $10^{-14}$, because
# the mean is rounded. Dividing by it would make a feature out of nothing.)
#
# Does the scale matter? We take the plainest classifier there is. It averages each species over the
# training set, and gives a new bird the class whose mean is nearest. We measure its accuracy (1.1), the
# share of birds that it gets right, on the validation set. Mean and spread for the scale are those of the
# training set.


# %%
def nearest_mean(x_train, y_train, x):
    """For each row of x (m, D) the class whose mean over x_train (n, D), y_train (n,) is nearest: (m,)."""
    classes = np.unique(y_train)  # (K,)
    means = np.stack([x_train[y_train == label].mean(axis=0) for label in classes])  # (K, D)
    distances = np.linalg.norm(x[:, None, :] - means, axis=2)  # (m, 1, D) - (K, D) -> (m, K)
    return classes[distances.argmin(axis=1)]


center, spread = fit_scale(measurements[train])  # (4,) each
x = (measurements - center) / spread  # (n, 4)
guesses = {}
accuracy = {}
for name, values in (("raw units", measurements), ("standardised", x)):
    guesses[name] = nearest_mean(values[train], labels[train], values[validation])
    accuracy[name] = np.mean(guesses[name] == labels[validation])
    print(f"{name:20s}right on the validation set: {accuracy[name]:.1%}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, (name, values) in zip(axes, (("raw units", measurements), ("standardised", x))):
    shown = values[validation][:, [0, 3]]  # (m, 2): bill length and mass
    draw_birds(ax, shown, labels[validation])
    wrong = shown[guesses[name] != labels[validation]]
    ax.plot(wrong[:, 0], wrong[:, 1], "x", color="C1", markersize=9, label="wrong")
    ax.set_title(f"{name}: {len(wrong)} of {len(shown)} wrong")
axes[0].set(xlabel="bill length (mm)", ylabel="body mass (g)")
axes[1].set(xlabel="bill length (spreads from the mean)", ylabel="body mass (spreads)")
axes[0].legend(loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# The crosses mark the birds that got a wrong name. In raw units nearness is decided by the grams alone,
# since their numbers differ by hundreds where millimetres differ by tens, and Adélies weigh as much as
# chinstraps. Standardised, each feature has the same say, and nearly all birds are right. (On two
# hundred other splits the raw units got between a half and three quarters right, and the standardised
# ones never less than nine in ten.)
#
# ## Two ways to cheat without noticing
#
# If training gets to see anything of the data that it will be tested on, this is called *leakage* (1.4).
# The scale is where it happens first. Suppose that a typist adds a zero to the flipper of one test bird.
# We scale once by the training set, and once by all birds together. What will change in the training set?

# %%
misread = measurements.copy()
misread[test[0], 2] *= 10


def scaled(measurements, fit_on):
    """All measurements (n, D), standardised by mean and spread of the rows `fit_on`."""
    center, spread = fit_scale(measurements[fit_on])
    return (measurements - center) / spread


training_moves = {}
for name, fit_on in (("the training set", train), ("all birds", everyone)):
    before = scaled(measurements, fit_on)
    after = scaled(misread, fit_on)
    training_moves[name] = np.abs(after - before)[train].max()
    print(f"fitted on {name:17s}the training set moves by {training_moves[name]:.3f}", end=", ")
    print(f"the misread bird stands at {after[test[0], 2]:.0f}")

# %% [markdown]
# Fitted on the training set, the scale does not change by a bit, and the misread bird stands out. Fitted
# on all birds, the one bad number has moved the training inputs by up to nearly two spreads, and it hides
# itself in part, because it has made the spread larger. In practice leakage is quieter than this, and it
# makes a grade better than it should be.
#
# The other way to cheat looks tidy: give every set its own mean and spread. An expedition comes home with
# gentoos only, those of our test set. How many does the nearest mean recognise, if we scale them by the
# training set, and how many if we scale them by their own mean and spread?

# %%
gentoos = measurements[test][labels[test] == 2]  # (g, 4)
own_center, own_spread = fit_scale(gentoos)
expedition = {
    "by the training set": (gentoos - center) / spread,
    "by their own": (gentoos - own_center) / own_spread,
}
recognised = {}
for name, values in expedition.items():
    recognised[name] = np.mean(nearest_mean(x[train], labels[train], values) == 2)
    print(f"gentoos scaled {name:20s} recognised {recognised[name]:.1%}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
for ax, (name, values) in zip(axes, expedition.items()):
    draw_birds(ax, x[train][:, [0, 2]], labels[train], color="0.7")
    ax.plot(values[:, 0], values[:, 2], "s", color="C1", markersize=5, label="test gentoos")
    ax.set(xlabel="bill length (spreads from the mean)", title=f"Test gentoos scaled {name}")
axes[0].set_ylabel("flipper length (spreads)")
axes[0].legend(loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# On the left the new gentoos lie on the gentoos of the training set. On the right they lie in the middle
# of all species, because what makes a gentoo a gentoo, its size, was the first thing to be subtracted. So
# a scale belongs to the model: it is measured once, on the training set, and used unchanged for every bird
# that comes later.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
spread_left_out = treated["row left out"].std()
stretched = treated["a zero instead"].std() / spread_left_out
assert 1.4 < stretched < 1.55, "two zeros make the spread larger by nearly a half"
assert treated["the mean instead"].std() < spread_left_out, "the mean instead makes the spread too small"
assert len(refusals) == len(broken_rows), "each of the broken rows is refused"
assert all(message.startswith("line 3: ") for message in refusals), "each refusal names the line"
assert set(labels[round(0.8 * len(labels)) :]) == {1}, "the last fifth of the file is chinstraps only"
fair = 0.2 * counts[1]
assert min(shuffled_counts) < fair / 2, "some shuffled validation sets get fewer than half the chinstraps"
assert max(shuffled_counts) > 1.7 * fair, "and others nearly twice as many as they should"
assert min(stratified_counts) == max(stratified_counts), "a stratified split does not"
assert accuracy["raw units"] < 0.8, "in raw units the nearest mean is wrong on every fifth bird or more"
assert accuracy["standardised"] > 0.9, "standardised, it is right on nine birds of ten"
assert training_moves["the training set"] == 0, "a scale of the training set sees no test bird"
assert training_moves["all birds"] > 1.5, "a scale of all birds lets one test bird move the training set"
assert recognised["by the training set"] > 0.9, "gentoos on the training set's scale are recognised"
assert recognised["by their own"] < 0.5, "gentoos on a scale of their own are not"

# %% [markdown]
# ## Going further
#
# Three things to have at hand later: labels as columns and batches are needed in lesson 3.3, and the luck
# of a draw has a formula.
#
# ### One column for each class
#
# The indices 0, 1 and 2 would tell a model that a chinstrap lies halfway between an Adélie and a gentoo. A
# *one-hot* label says nothing of the kind. It is a row of zeros with a single one, at the place of the
# class, so any two classes are equally far apart.


# %%
def one_hot(labels, n_classes):
    """(n,) class indices -> (n, n_classes) rows with a one at the label; ValueError on other labels."""
    labels = np.asarray(labels)
    if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(f"labels must lie in 0 … {n_classes - 1}, got {labels.min()} … {labels.max()}")
    rows = np.zeros((len(labels), n_classes))
    for row, label in zip(rows, labels):
        row[label] = 1.0
    return rows


one_hot_labels = one_hot(labels, len(SPECIES))  # (n, 3)
print(f"first bird {one_hot_labels[0]}   last bird {one_hot_labels[-1]}")
np.testing.assert_array_equal(one_hot_labels, np.eye(3)[labels])  # the same, faster: rows of the identity
np.testing.assert_array_equal(one_hot_labels.sum(axis=0), counts)

# %% [markdown]
# The range is checked because NumPy would not complain. The index $-1$ means the last place, so a bird of
# unknown species would silently become a gentoo.
#
# ### Batches
#
# Training looks at a few examples at a time, a *mini-batch* or batch (2.4). One pass over all batches is
# called an epoch (1.2). Every epoch shuffles again and deals each example once, and the last batch may be
# smaller than the others.


# %%
def minibatches(n, batch_size, rng):
    """A list of index arrays of length batch_size (the last may be shorter) that deal out 0 … n-1 once.

    Raises ValueError for a batch_size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    order = rng.permutation(n)
    return [order[start : start + batch_size] for start in range(0, n, batch_size)]


for epoch in range(2):
    batches = minibatches(len(train), 32, rng)
    print(f"epoch {epoch}: sizes {[len(batch) for batch in batches]}, first birds {train[batches[0][:4]]}")
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(train)))

# %% [markdown]
# ### How far a draw strays
#
# How well does a batch stand for the whole training set? Draw $B$ of $n$ standardised numbers, whose
# variance is one. If every draw were put back, the variance of their mean would be $1/B$ (2.8). But no
# bird is drawn twice, and if $B = n$ the mean is exact, so there is a factor that falls from one to zero:
#
# $$\operatorname{Var}(\text{mean}) = \frac1B \cdot \frac{n - B}{n - 1} .$$
#
# The number of chinstraps in a validation set follows the same rule. It is $B$ times the mean of numbers
# that are one for a chinstrap and zero for others, and if a share $p$ are ones, their variance is
# $p\,(1 - p)$. So the count has the variance $B\, p\,(1 - p)\,(n - B)/(n - 1)$. We measure both.

# %%
n_all = len(labels)
share = counts[1] / n_all
predicted_spread = np.sqrt(len(validation) * share * (1 - share) * (n_all - len(validation)) / (n_all - 1))
print(f"chinstraps in validation: spread {np.std(shuffled_counts):.2f}, theory {predicted_spread:.2f}")

flipper = x[train, 2]  # (n_train,)
batch_sizes = np.array([1, 2, 4, 8, 16, 32, 64, 128])
expected_noise = np.sqrt((len(train) - batch_sizes) / (len(train) - 1) / batch_sizes)  # (8,)
noise = []
for batch_size in batch_sizes:
    means = [flipper[minibatches(len(train), batch_size, rng)[0]].mean() for _ in range(2000)]
    noise.append(np.std(means))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(batch_sizes, expected_noise, "--", color="C1", label="theory")
ax.loglog(batch_sizes, noise, "o", color="C0", label="measured")
ax.set(xlabel="batch size (birds)", ylabel="spread of the batch mean (spreads of a bird)")
ax.set_xticks(batch_sizes, batch_sizes)
ax.set_title("How far a batch's mean strays from the mean of all")
ax.legend()
plt.show()

# %% [markdown]
# The measured points lie on the theory's line. A batch of four times the size strays about half as far, and
# a few dozen birds already give a fair idea of all of them, for a fraction of the work.

# %%
four_standard_errors = 4 / np.sqrt(2 * 1000)
relative = np.std(shuffled_counts) / predicted_spread
assert abs(relative - 1) < four_standard_errors, "the luck of a shuffled split follows the formula"
np.testing.assert_allclose(noise, expected_noise, rtol=0.1, err_msg="a batch strays as far as predicted")

# %% [markdown]
# ## What to remember
#
# - An example is a row of features and a label. If the label is a class, the task is classification, and
#   if it is a number on a scale, it is regression.
# - Read strictly: a row that the program does not understand is an error with a line number.
# - Look at ranges, gaps, balance and order first. Then shuffle, class by class if a class is small.
# - Whatever is measured from data, such as a mean or a spread, is measured on the training set and used
#   unchanged everywhere else.
# - Check labels before they index, because NumPy takes $-1$ for the last class.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top. An AssertionError at the end is no
# damage: it names the claim that your change has overturned.
#
# 1. Another unit: in a new cell after the split into `train`, `validation` and `test`, say the flippers in
#    micrometres, `measurements = measurements * [1, 1, 1000, 1]`. What will happen to the two accuracies?
#    One of them you can know exactly.
# 2. Ask for tiny sets: `shares = (0.98, 0.01, 0.01)`. What does the stratified split say of the
#    chinstraps, and why would `shuffled_split` have said nothing?
# 3. From a blank cell at the end: predict every validation bird, and then every training bird, by its
#    single nearest neighbour in the training set (`np.linalg.norm` and `argmin`). Which accuracy must come
#    out on the training set, whatever the data are? Compare it with that on the validation set.
#
# ## Sources
#
# - K. B. Gorman, T. D. Williams, W. R. Fraser, "Ecological sexual dimorphism and environmental variability
#   within a community of Antarctic penguins", _PLoS ONE_ 9(3), 2014: the measurements.
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
# - W. G. Cochran, _Sampling Techniques_, 3rd edition, 1977, chapters 2 and 5: the variance of a sample
#   drawn without replacement, and stratified sampling. Reproduced: "the luck of a shuffled split follows".
