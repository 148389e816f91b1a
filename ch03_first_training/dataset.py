# %% [markdown]
# # 3.1 A dataset: examples to learn from, and examples to be tested on
#
# You learn the birds of a coast from a box of cards: numbers on the front, the name on the back. Three
# things spoil the box before any learning starts: cards with smudges, a box sorted by answer, and seeing
# the exam's cards beforehand. This lesson prepares such a box with care.
#
# **You will build** a reader that refuses broken rows, a fair split, scaling that does not peek, one-hot
# labels and mini-batches. **You need** arrays (2.1, 2.2), mean and spread (2.8).

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
# A file of comma-separated values is text. The first line names the columns, and each line after it is one
# bird: an *example*. Cover the species with a finger: what remains are the measurements to decide from,
# the *features*; what you covered is the answer, the *label*.

# %%
lines = (HERE / "data" / "penguins.csv").read_text(encoding="utf-8").splitlines()
print(*lines[:5], sep="\n")

header, first = lines[0].split(","), lines[1].split(",")
bird = dict(zip(header, first, strict=True))
features = [float(bird["bill_length_mm"]), float(bird["flipper_length_mm"])]
print(f"\nfeatures {features}   label {bird['species']}")
assert features == [39.1, 181.0] and bird["species"] == "Adelie"

# %% [markdown]
# ## What is missing
#
# The fourth bird above has no measurements: `NA`, not available. `csv.DictReader` does our splitting for
# every line, and gives a dictionary a row. Before using a column, count its holes.

# %%
birds = list(csv.DictReader(lines))
print(f"{len(birds)} birds")
for name in header:
    n_missing = sum(bird[name] == "NA" for bird in birds)
    print(f"{name:20s}{n_missing:12d} missing")

# %% [markdown]
# Three ways out. Write a zero, and a bird has flippers of no length. Write the average, and a bird of no
# species joins the crowd. Or leave the row out. What do they do to the flippers' mean and spread?

# %%
flippers = np.array(
    [float("nan" if bird["flipper_length_mm"] == "NA" else bird["flipper_length_mm"]) for bird in birds]
)
is_missing = np.isnan(flippers)  # (344,)
treated = {
    "a zero instead": np.where(is_missing, 0.0, flippers),
    "the mean instead": np.where(is_missing, np.nanmean(flippers), flippers),
    "row left out": flippers[~is_missing],
}
print(f"{'flipper length':20s}{'mean (mm)':>12s}{'spread (mm)':>12s}")
for name, values in treated.items():
    print(f"{name:20s}{values.mean():12.2f}{values.std():12.2f}")
assert treated["a zero instead"].std() > 1.2 * treated["row left out"].std()
assert treated["the mean instead"].std() < treated["row left out"].std()

# %% [markdown]
# Two zeros among hundreds of birds stretch the spread by a good part, and nobody gets an error message. We
# leave out rows that lack a feature we use; here that costs two birds. Where a tenth of the rows were
# missing, or the missing ones were special, that would be a decision to think about longer.
#
# ## From text to numbers
#
# A model needs numbers in both places. Features become a row of a matrix; a label becomes the position of
# its name in `SPECIES`. A row that we do not understand stops the reading, with its line, so that it can
# be looked up: a misspelt species is a mistake to mend, not a bird to drop.

# %%
COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")


def read_penguins(lines, columns, species):
    """Measurements (n, len(columns)) and labels (n,), an index into `species`, from lines of CSV.

    Rows with "NA" in one of the columns are left out. Raises ValueError, naming the line, where a row has
    too few or too many fields, an unknown species, or a measurement that is not a positive number.
    """
    measurements, labels = [], []
    reader = csv.DictReader(lines)
    for row in reader:
        where = f"line {reader.line_num}"
        if None in row or None in row.values():  # DictReader's marks for too many and too few
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
        if not all(0 < number < np.inf for number in numbers):
            raise ValueError(f"{where}: measurements must be positive numbers, got {numbers}")
        measurements.append(numbers)
        labels.append(species.index(row["species"]))
    return np.array(measurements, dtype=np.float64).reshape(-1, len(columns)), np.array(
        labels, dtype=np.int64
    )


measurements, labels = read_penguins(lines, COLUMNS, SPECIES)
print(f"measurements {measurements.shape}   labels {labels.shape}")
assert measurements.shape == (len(labels), 4) and len(labels) == len(birds) - 2

# %% [markdown]
# A check that has never refused anything is not known to work. So we break the second bird in five ways.

# %%
broken_rows = [
    "Emperor,Torgersen,39.5,17.4,186,3800,female,2007",
    "Adelie,Torgersen,39.5,17.4,186",
    "Adelie,Torgersen,39,5,17,4,186,3800,female,2007",  # decimal commas
    "Adelie,Torgersen,39.5 mm,17.4,186,3800,female,2007",
    "Adelie,Torgersen,39.5,-17.4,186,3800,female,2007",
]
refusals = []
for row in broken_rows:
    try:
        read_penguins([*lines[:2], row, *lines[3:]], COLUMNS, SPECIES)
    except ValueError as error:
        refusals.append(str(error))
        print(error)
assert len(refusals) == len(broken_rows) and all(message.startswith("line 3: ") for message in refusals)

# %% [markdown]
# Now that the file is known to be sound, a short form is enough. These lines stand in every later lesson
# that uses the penguins. They keep the species they are asked for and drop all others, misspelt ones too.

# %%
with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
short_measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
short_labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
np.testing.assert_array_equal(short_measurements, measurements)
np.testing.assert_array_equal(short_labels, labels)

# %% [markdown]
# ## Look before you train
#
# Ranges show impossible values: a penguin of four grams, say. Counts show how the classes are *balanced*.
# A picture shows whether the task can be done at all, and in which order somebody filed the birds.

# %%
print(f"{'':20s}{'lowest':>12s}{'mean':>12s}{'highest':>12s}{'spread':>12s}")
for name, values in zip(COLUMNS, measurements.T):  # (n, 4) -> (4, n): one row a column
    print(f"{name:20s}{values.min():12.1f}{values.mean():12.1f}{values.max():12.1f}{values.std():12.1f}")
counts = np.bincount(labels)  # (3,)
print()
for name, count in zip(SPECIES, counts):
    print(f"{name:20s}{count:12d} birds{count / len(labels):12.1%}")
assert np.all(labels[-counts[1] :] == 1)  # the file ends with every chinstrap there is
assert measurements[labels == 0, 0].max() > measurements[labels == 1, 0].min()  # bills overlap

# %%
TITLES, MARKERS = ("Adélie", "chinstrap", "gentoo"), ("o", "^", "s")
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for label, (title, marker) in enumerate(zip(TITLES, MARKERS)):
    chosen = labels == label
    style = {"marker": marker, "color": "0.2", "linestyle": "none", "fillstyle": "none", "markersize": 4}
    left.plot(measurements[chosen, 0], measurements[chosen, 2], label=title, **style)
    right.plot(np.flatnonzero(chosen), labels[chosen], **style)
left.set(
    xlabel="bill length (mm)", ylabel="flipper length (mm)", title="Three species, three clouds that touch"
)
left.legend(loc="upper left")
right.set(xlabel="place in the file", yticks=range(3), yticklabels=TITLES, ylim=(-0.5, 2.5))
right.set_title("The file is sorted: its end is all chinstraps")
plt.show()

# %% [markdown]
# ## Three piles
#
# The *training set* is for learning. The *validation set* is for choosing between models. The *test set*
# is for one honest grade at the end. Cut the sorted file at sixty and eighty in a hundred, and the last
# pile holds chinstraps only. So shuffle first.


# %%
def shuffled_split(n, shares, rng):
    """Random index arrays that divide 0 … n-1 into parts of the given shares.

    Raises ValueError where the shares are not positive or do not sum to one.
    """
    if not np.isclose(sum(shares), 1) or min(shares) <= 0:
        raise ValueError(f"shares must be positive and sum to 1, got {shares}")
    cuts = np.round(np.cumsum(shares)[:-1] * n).astype(int)
    return np.split(rng.permutation(n), cuts)


shares = (0.6, 0.2, 0.2)
in_file_order = np.split(labels, np.round(np.cumsum(shares)[:-1] * len(labels)).astype(int))
shuffled = [labels[part] for part in shuffled_split(len(labels), shares, rng)]
for title, parts in (("file order", in_file_order), ("shuffled", shuffled)):
    print(title)
    for name, part in zip(("training", "validation", "test"), parts):
        print(
            f"   {name:17s}"
            + "".join(f"{share:12.1%}" for share in np.bincount(part, minlength=3) / len(part))
        )
assert set(in_file_order[2]) == {1} and set(shuffled[2]) == {0, 1, 2}

# %% [markdown]
# Shuffling is fair on average, and by luck a pile still gets too many of one kind. *Stratified* splitting
# takes luck out of it: split each class by itself, then put the pieces together.


# %%
def stratified_split(labels, shares, rng):
    """As `shuffled_split`, with each class's share in every part as near to the whole's as rounding allows.

    labels: (n,) class indices. Raises ValueError where a class is too small to be in every part.
    """
    parts = [[] for _ in shares]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        pieces = shuffled_split(len(members), shares, rng)
        if min(map(len, pieces)) == 0:
            raise ValueError(f"class {label} has {len(members)} examples, too few for shares {shares}")
        for part, piece in zip(parts, pieces):
            part.extend(members[piece])
    return [rng.permutation(part) for part in parts]  # without this, each part is sorted by class


train, validation, test = stratified_split(labels, shares, rng)
print(f"{len(train)} to train on, {len(validation)} to validate, {len(test)} to test")

# %% [markdown]
# The two promises of a split: no bird is in two piles, and no bird is lost. Sorting all indices together
# checks both. The third promise is stratification's own: each pile has its share of every species, to
# within one bird.

# %%
np.testing.assert_array_equal(np.sort(np.concatenate([train, validation, test])), np.arange(len(labels)))
for part, share in zip((train, validation, test), shares):
    np.testing.assert_allclose(np.bincount(labels[part]), share * counts, atol=1)

# %% [markdown]
# How much luck was there? We split many times and count the chinstraps in the validation set. Theory says
# how far shuffling strays: drawing $B$ birds of $n$ without putting any back, of which a share $p$ are
# chinstraps, the count has variance
#
# $$B\, p\,(1 - p)\, \frac{n - B}{n - 1} .$$

# %%
n, n_validation, share = len(labels), len(validation), counts[1] / len(labels)
luck = [np.sum(labels[shuffled_split(n, shares, rng)[1]] == 1) for _ in range(1000)]
fair = [np.sum(labels[stratified_split(labels, shares, rng)[1]] == 1) for _ in range(1000)]
predicted = np.sqrt(n_validation * share * (1 - share) * (n - n_validation) / (n - 1))
print(f"shuffled, chinstraps: {min(luck)} to {max(luck)}, spread {np.std(luck):.2f} (theory {predicted:.2f})")
print(f"stratified, chinstraps: {min(fair)} to {max(fair)}")
assert abs(np.std(luck) / predicted - 1) < 4 / np.sqrt(2 * len(luck))  # four standard errors
assert min(fair) == max(fair)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.hist(luck, bins=np.arange(min(luck), max(luck) + 2) - 0.5, color="C0", edgecolor="white", label="shuffled")
ax.axvline(fair[0], color="C1", linestyle="--", linewidth=2, label="stratified, every time")
ax.set(
    xlabel="chinstraps in the validation set",
    ylabel="splits",
    title="Stratifying takes the luck out of a split",
)
ax.legend()
plt.show()

# %% [markdown]
# ## One scale for all
#
# Millimetres and grams do not compare. Who is nearer to a bird: one with a bill 5 mm longer, or one that
# is 100 g heavier? Measure each feature from its mean $\mu$ in steps of its spread $\sigma$, the standard
# deviation of lesson 2.8; that is to *standardise*:
#
# $$z = \frac{x - \mu}{\sigma}, \qquad \mu = \frac1n \sum_i x_i, \qquad
#   \sigma = \sqrt{\frac1n \sum_i (x_i - \mu)^2} .$$
#
# Eight flippers on paper: 182, 184, 184, 184, 185, 185, 187, 189 mm. Their sum is 1480, so the mean is
# 185; the squared distances add up to 32, so the spread is 2, and the last bird stands at $z = 2$.


# %%
def fit_scale(x):
    """Mean and spread of each column of x (n, D), both (D,). Raises ValueError where a column is constant."""
    center = x.sum(axis=0) / len(x)
    spread = np.sqrt(((x - center) ** 2).sum(axis=0) / len(x))
    if np.any(spread == 0):
        raise ValueError(f"columns {np.flatnonzero(spread == 0).tolist()} are constant and cannot be scaled")
    return center, spread


paper = np.array([182, 184, 184, 184, 185, 185, 187, 189], dtype=np.float64)[:, None]  # (8, 1)
center, spread = fit_scale(paper)
print(f"mean {center[0]}   spread {spread[0]}   last bird at {((paper - center) / spread)[-1, 0]}")
assert (center[0], spread[0]) == (185, 2)

# %% [markdown]
# Does it matter? The plainest model there is: average each species over the training set, and give a new
# bird the name of the nearest average. In raw units nearness is all grams. The mean and spread come from
# the *training set only*, and serve all three piles.

# %%
center, spread = fit_scale(measurements[train])
x = (measurements - center) / spread  # (n, 4)


def nearest_mean(x_train, y_train, x):
    """For each row of x (m, D) the class whose mean over x_train (n, D), y_train (n,) is nearest."""
    means = np.stack([x_train[y_train == label].mean(axis=0) for label in np.unique(y_train)])  # (K, D)
    distances = np.linalg.norm(x[:, None, :] - means, axis=2)  # (m, 1, D) - (K, D) -> (m, K)
    return distances.argmin(axis=1)


raw_accuracy = np.mean(
    nearest_mean(measurements[train], labels[train], measurements[validation]) == labels[validation]
)
accuracy = np.mean(nearest_mean(x[train], labels[train], x[validation]) == labels[validation])
print(f"right on the validation set: {raw_accuracy:.1%} in raw units, {accuracy:.1%} standardised")
assert accuracy > 0.9 > 0.8 > raw_accuracy

# %% [markdown]
# ## Two ways to cheat without noticing
#
# *Leakage* is anything that lets the training see what it will be tested on. The scale is where it happens
# first. Suppose a typist adds a zero to one test bird's flipper. Scaled by the training set, the training
# inputs do not change by a bit, and the bird stands out by a mile. Scaled by everything, that one bird has
# reached into the training set, and hides itself in part.

# %%
misread = measurements.copy()
misread[test[0], 2] *= 10


def scaled(measurements, fit_on):
    """All measurements, standardised by mean and spread of the rows `fit_on`."""
    center, spread = fit_scale(measurements[fit_on])
    return (measurements - center) / spread


everyone = np.arange(len(labels))
for name, fit_on in (("the training set", train), ("everything", everyone)):
    before, after = scaled(measurements, fit_on), scaled(misread, fit_on)
    moved = np.abs(after - before)[train].max()
    print(
        f"fitted on {name:17s} training set moves by {moved:.3f}, the bird stands at {after[test[0], 2]:.0f}"
    )
np.testing.assert_array_equal(scaled(measurements, train)[train], scaled(misread, train)[train])
assert np.abs(scaled(measurements, everyone) - scaled(misread, everyone))[train].max() > 0.5

# %% [markdown]
# The other way looks tidy: give each set its own mean and spread. Then an expedition that meets only
# gentoos sees a beach of average birds, because their size was the first thing to be subtracted.

# %%
is_gentoo = np.flatnonzero(labels[test] == 2)
gentoos = measurements[test][is_gentoo]  # (g, 4)
own_center, own_spread = fit_scale(gentoos)
beach = {
    "by the training set": (gentoos - center) / spread,
    "by their own": (gentoos - own_center) / own_spread,
}
recognised = {}
for name, values in beach.items():
    recognised[name] = np.mean(nearest_mean(x[train], labels[train], values) == 2)
    print(f"gentoos scaled {name:20s} recognised {recognised[name]:.1%}")
assert recognised["by the training set"] > 0.9 and recognised["by their own"] < 0.6

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
for ax, (name, values) in zip(axes, beach.items()):
    for label, (title, marker) in enumerate(zip(TITLES, MARKERS)):
        chosen = x[train][labels[train] == label]
        ax.plot(chosen[:, 0], chosen[:, 2], marker, color="0.75", markersize=4, fillstyle="none", label=title)
    ax.plot(values[:, 0], values[:, 2], "s", color="C1", markersize=5, label="test gentoos")
    ax.set(xlabel="bill length (spreads from the mean)", title=f"scaled {name}")
axes[0].set_ylabel("flipper length (spreads)")
axes[0].legend(loc="upper left", fontsize=9)
fig.suptitle("Scaled by their own mean, gentoos land among the other species")
plt.show()

# %% [markdown]
# ## Labels as columns
#
# Indices 0, 1, 2 would tell a model that a chinstrap lies halfway between an Adélie and a gentoo.
# *One-hot* labels say nothing of the kind: a row of zeros with a single one, at the label's place. Any two
# species are then equally far apart.


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


y = one_hot(labels, len(SPECIES))
distances = [np.linalg.norm(one_hot([a], 3) - one_hot([b], 3)) for a, b in ((0, 1), (1, 2), (0, 2))]
print(f"first bird {y[0]}   last bird {y[-1]}   distances {np.round(distances, 3)}")
np.testing.assert_array_equal(y, np.eye(3)[labels])  # the same, faster: row `label` of the identity matrix
np.testing.assert_array_equal(y.sum(axis=0), counts)

# %% [markdown]
# The check on the range is there because NumPy would not complain: index $-1$ means the last place, and a
# bird of no known species would silently become a gentoo.
#
# ## A handful at a time
#
# Training looks at the birds in *mini-batches*, a handful at a time, and each pass over all of them is an
# *epoch*. Every epoch deals the cards anew, and each card is dealt once; the last handful may be smaller.


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
# A batch is a small poll of the training set. How far does its mean stray from the mean of all, which for
# a standardised feature is zero with spread one? The formula for the luck of a split answers again: the
# variance of a batch's mean is
#
# $$\frac{1}{B} \cdot \frac{n - B}{n - 1} .$$

# %%
flipper = x[train, 2]  # (n_train,)
n_train, batch_sizes, n_batches = len(train), np.array([1, 2, 4, 8, 16, 32, 64, 128]), 2000
expected_noise = np.sqrt((n_train - batch_sizes) / (n_train - 1) / batch_sizes)  # (8,)
noise = np.array(
    [
        np.std([flipper[minibatches(n_train, size, rng)[0]].mean() for _ in range(n_batches)])
        for size in batch_sizes
    ]
)  # (8,)
print(f"{'batch size':20s}{'measured':>12s}{'theory':>12s}")
for size, measured, theory in zip(batch_sizes, noise, expected_noise):
    print(f"{size:<20d}{measured:12.3f}{theory:12.3f}")
np.testing.assert_allclose(noise, expected_noise, rtol=4 / np.sqrt(2 * n_batches))  # four standard errors

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(batch_sizes, expected_noise, "--", color="C1", label="theory")
ax.loglog(batch_sizes, noise, "o", color="C0", label="measured")
ax.set(xlabel="batch size (birds)", ylabel="spread of the batch mean (spreads of a bird)")
ax.set_xticks(batch_sizes, batch_sizes)
ax.set_title("Four times the batch, about half the noise")
ax.legend()
plt.show()

# %% [markdown]
# So a few dozen birds already give a fair idea of all of them, at a fraction of the work. That is why
# training can afford many steps, and lesson 3.3 lives on it.
#
# ## What to remember
#
# - An example is features and a label. Read strictly: a row you do not understand is an error, not a
#   guess.
# - Look first: ranges, holes, balance, order. Shuffle, and split class by class.
# - Whatever is measured from data, a mean or a spread, is measured on the training set and then used
#   unchanged everywhere.
# - Check labels before they index: NumPy takes $-1$ for the last class.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Fill the missing measurements with the training set's mean instead. What must you now split before you
#    may read on?
# 2. Give `stratified_split` shares of 0.98, 0.01 and 0.01. What does it say, and what would
#    `shuffled_split` have done?
# 3. Copy every training bird into the test set, and predict each by its nearest neighbour in the training
#    set. What accuracy does a model that learned nothing but names by heart get?
#
# ## Sources
#
# - K. B. Gorman, T. D. Williams, W. R. Fraser, "Ecological sexual dimorphism and environmental variability
#   within a community of Antarctic penguins", *PLoS ONE* 9(3), 2014: the measurements.
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data.
# - W. G. Cochran, *Sampling Techniques*, 3rd edition, 1977, chapters 2 and 5: the variance of a sample
#   drawn without replacement, and stratified sampling.
