# %% [markdown]
# # 1.3 Three ways to learn: a teacher, a drawer, and a treat
#
# A child learns the names of birds from somebody who knows them. It sorts a drawer of odd buttons with
# nobody's help. And it learns to ride a bicycle by trying, with a scraped knee for an answer. Machines
# learn in the same three ways, and most of the difference is in what they are told.
#
# **You will see** penguins told apart by learning from their names, penguins sorted into groups without
# any names, and a program that finds its way through a maze by reward alone. Then you sort ten everyday
# problems yourself. **You need** the idea of learning from examples (1.1). You may leave the code folded.

# %% [markdown]
# ## Supervised: learning with a teacher
#
# On three islands near Antarctica, researchers measured the bills of penguins: how long, and how deep from
# top to bottom. They also wrote down the species. Such a known answer is called a *label*, and learning
# from labelled examples is *supervised* learning. The label is the teacher's part.

# %%
# Draws the penguins with known names, by the length and the depth of their bills.
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

COLUMNS = ("bill_length_mm", "bill_depth_mm")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)
spread = measurements.std(axis=0)  # a step of this size counts the same in both directions

order = rng.permutation(len(labels))
known, new = order[:150], order[150:]  # birds with a name, and birds kept back for the exam
names = ("Adélie", "chinstrap", "gentoo")
axis_labels = {"xlabel": "bill length (mm)", "ylabel": "bill depth (mm)"}

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for kind, marker in enumerate("o^s"):
    ax.scatter(
        *measurements[known][labels[known] == kind].T,
        marker=marker,
        facecolor="none",
        edgecolor=f"C{kind}",
        label=names[kind],
    )
ax.set(**axis_labels, xlim=(30, 61), title="Each species has a bill of its own shape")
ax.legend()
plt.show()

# %% [markdown]
# Now a new bird arrives without a name. The learner does what a birdwatcher with a picture book does: it
# looks up the five known birds most like the new one, and lets them vote.


# %%
# Draws one new penguin among the known ones, and the five neighbours that vote on its species.
def neighbours(bird, others, n_neighbours):
    """Places of the n_neighbours rows of `others` (n, 2) that lie nearest to `bird` (2,), nearest first."""
    distance = (((others - bird) / spread) ** 2).sum(axis=1)  # (n,)
    return np.argsort(distance)[:n_neighbours]


def species_of(birds, n_neighbours=5):
    """The species most common among the nearest known birds, for each row of `birds` (n, 2)."""
    near = [neighbours(bird, measurements[known], n_neighbours) for bird in birds]
    return np.array([np.bincount(labels[known][places]).argmax() for places in near])


newcomer = new[99]  # a bird from the border between two species
near = known[neighbours(measurements[newcomer], measurements[known], 5)]
ballot = np.bincount(labels[near], minlength=3)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for kind, marker in enumerate("o^s"):
    ax.scatter(
        *measurements[known][labels[known] == kind].T,
        marker=marker,
        facecolor="none",
        edgecolor=f"C{kind}",
        label=names[kind],
    )
for place in near:
    ax.plot(*measurements[[newcomer, place]].T, color="0.4", linewidth=0.8)
ax.plot(*measurements[newcomer], "k*", markersize=12, label="a new bird")
ax.set(**axis_labels, xlim=(24, 61), title="Five neighbours vote on the newcomer")
ax.legend(loc="upper left")
plt.show()

print("Votes: " + ", ".join(f"{name} {votes}" for name, votes in zip(names, ballot)))
print(f"In truth it was a {names[labels[newcomer]]}.")
assert ballot.argmax() == labels[newcomer] and ballot.max() < 5

# %% [markdown]
# Ask the five neighbours at every point of the map, and it falls into three countries. Nobody drew the
# borders: they follow from the labelled birds. Then comes the exam, with birds that the learner has never
# met. The crosses are its mistakes. They lie where countries meet, and where the neighbours disagree.

# %%
# Draws the countries that the votes make, and the birds of the exam, mistakes crossed out.
guesses = species_of(measurements[new])
missed = guesses != labels[new]
lengths, depths = np.meshgrid(np.linspace(31, 61, 70), np.linspace(12.5, 22, 50))  # each (50, 70)
country = species_of(np.column_stack([lengths.ravel(), depths.ravel()])).reshape(lengths.shape)  # (50, 70)
exam_score = 1 - missed.mean()
circles = [labels[known[neighbours(bird, measurements[known], 5)]] for bird in measurements[new]]
agreed = np.array([len(set(circle)) == 1 for circle in circles])  # (n_new,)
assert agreed[missed].mean() < 0.5 < 0.8 < agreed[~missed].mean()

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for kind, marker in enumerate("o^s"):
    ax.contourf(lengths, depths, country == kind, levels=[0.5, 1.5], colors=[f"C{kind}"], alpha=0.2)
    hits = measurements[new][(labels[new] == kind) & ~missed]
    ax.scatter(*hits.T, marker=marker, facecolor="none", edgecolor="0.2", s=20, label=names[kind])
ax.scatter(*measurements[new][missed].T, marker="x", color="C3", s=50, label="mistaken")
ax.set(**axis_labels, title="The mistakes lie along the borders")
ax.legend(loc="lower left")
plt.show()

print(f"Named correctly: {np.sum(~missed)} of {len(new)} birds that it had never met.")
print(
    f"Neighbours all agreed: {agreed[~missed].sum()} of the {np.sum(~missed)} correct, "
    f"{agreed[missed].sum()} of the {missed.sum()} mistaken."
)
assert exam_score > 0.9

# %% [markdown]
# ## Unsupervised: sorting a drawer
#
# Now take the names away. Here is a drawer of birds, and the task is to sort it into three piles of birds
# that belong together. Nobody says what the piles should be. That is *unsupervised* learning.
#
# The method is as plain as sorting buttons. Pick any three birds as the middles of three piles. Lay every
# bird on the pile whose middle is nearest. Move each middle to the true centre of its pile. Some birds are
# now nearer to another middle, so lay them again, and go on until nothing moves. This is called *k-means*.


# %%
# Draws the piles as they form: the first guess, two rounds, and the end.
def lay_on_piles(birds, middles):
    """The nearest middle, 0 to k − 1, of each bird; birds (n, 2), middles (k, 2) -> (n,)."""
    gaps = (birds[:, None] - middles) / spread  # (n, 1, 2) - (k, 2) -> (n, k, 2)
    return (gaps**2).sum(axis=-1).argmin(axis=1)


def move_middles(birds, piles, middles):
    """The centre of every pile, or its old middle if it is empty.

    birds (n, 2), piles (n,), middles (k, 2) -> (k, 2).
    """
    members = [birds[piles == pile] for pile in range(len(middles))]
    return np.stack([group.mean(axis=0) if len(group) else old for group, old in zip(members, middles)])


middles = measurements[[20, 60, 100]]  # three birds to begin with
history = []
while not history or not np.allclose(history[-1][1], middles):
    piles = lay_on_piles(measurements, middles)
    history.append((piles, middles))
    middles = move_middles(measurements, piles, middles)

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharex=True, sharey=True)
for ax, turn in zip(axes, (0, 1, 2, len(history) - 1)):
    turn_piles, turn_middles = history[turn]
    for pile, marker in enumerate("o^s"):
        members = measurements[turn_piles == pile]
        ax.scatter(*members.T, marker=marker, facecolor="none", edgecolor=f"C{pile + 3}", s=15)
    ax.plot(*turn_middles.T, "k+", markersize=14, markeredgewidth=2.5)
    ax.set(xlabel=axis_labels["xlabel"], title=f"round {turn + 1}")
axes[0].set_ylabel(axis_labels["ylabel"])
fig.suptitle("Three chance piles settle into three groups, with no name in sight")
plt.show()
print(f"Nothing moved any more after {len(history)} rounds.")

# %% [markdown]
# Are these groups the species? The learner never saw a species, so we may now open the envelope and
# compare. Each pile turns out to be mostly one species, with some birds of another at its edges. It found
# what is there: three kinds of bill.
#
# One thing it did not find is the number three. That was ours. Ask for two piles or for five, and it will
# sort as willingly. Unsupervised learning shows what the data looks like; what it means, people say.

# %%
# Draws the found groups beside the true species, and marks the birds on which the two differ.
piles, middles = history[-1]
counts = np.array([[np.sum((piles == pile) & (labels == kind)) for kind in range(3)] for pile in range(3)])
mostly = counts.argmax(axis=1)  # (3,): the species that each pile mostly holds
strays = mostly[piles] != labels
agreement = 1 - strays.mean()
assert sorted(mostly) == [0, 1, 2] and agreement > 0.85

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
for kind, marker in enumerate("o^s"):
    for ax, group in ((left, mostly[piles]), (right, labels)):
        members = measurements[group == kind]
        ax.scatter(*members.T, marker=marker, facecolor="none", edgecolor=f"C{kind}", s=20, label=names[kind])
for ax in (left, right):
    ax.scatter(*measurements[strays].T, marker="x", color="black", s=20, linewidth=0.8, label="they differ")
left.set(**axis_labels, title="The piles, named after what they mostly hold")
right.set(xlabel=axis_labels["xlabel"], title="The true species")
right.legend(fontsize=8, loc="lower left")
fig.suptitle("Without a single name it found nearly the same groups")
plt.show()

print(f"{'pile':8s}" + "".join(f"{name:>12s}" for name in names))
for pile, row in enumerate(counts):
    print(f"{pile + 1:<8d}" + "".join(f"{count:12d}" for count in row))
print(f"{100 * agreement:.0f} in 100 birds lie on the pile of their own species.")

# %% [markdown]
# ## Reinforcement: training a dog
#
# Nobody can show a dog which muscles to move in order to sit. You wait, and when it happens to sit, there
# is a treat. The dog finds out by itself what earned it. Learning from *reward*, by trying, is
# *reinforcement learning*, and the one who tries is called the *agent*.
#
# Our agent stands in a maze that it cannot see. All it can do is take a step in one of four directions.
# Every step costs one point, for tired paws, and the exit brings fifty.


# %%
# Draws the maze as we see it; the agent does not.
MAZE = (
    "S...#...",
    ".##...#.",
    ".#..#.#.",
    "...##...",
    ".#.#..#.",
    "...##..E",
)
walls = np.array([[square == "#" for square in row] for row in MAZE])  # (6, 8)
start, exit_ = (0, 0), (5, 7)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def step(square, move):
    """The next square and the points earned; walls and edges leave the agent where it is."""
    row, column = square[0] + MOVES[move][0], square[1] + MOVES[move][1]
    inside = 0 <= row < walls.shape[0] and 0 <= column < walls.shape[1]
    arrived = (row, column) if inside and not walls[row, column] else square
    return arrived, 49 if arrived == exit_ else -1


fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.imshow(walls, cmap="gray_r", vmax=1.5)
for square, word in ((start, "start"), (exit_, "exit")):
    ax.text(*square[::-1], word, ha="center", va="center")
ax.set(xticks=[], yticks=[], title="The agent is told none of this, only its points")
plt.show()

# %% [markdown]
# The agent keeps a notebook: for each square and direction, how many points it expects from there on.
# Every step corrects one entry a little. Mostly it goes where the notebook promises most; now and then it
# tries something else, out of curiosity. It starts with empty pages and walks from start to exit again and
# again.


# %%
# Draws the agent's way on its first try and after many tries, in the same maze.
def one_try(notebook, curiosity, learning_rate, rng):
    """Walk from start to exit, at most 200 steps, correcting the notebook; the path and the points."""
    square, path, points = start, [start], 0
    while square != exit_ and len(path) <= 200:
        best = np.flatnonzero(notebook[square] == notebook[square].max())
        move = rng.integers(4) if rng.random() < curiosity else rng.choice(best)
        arrived, reward = step(square, move)
        expected = reward + notebook[arrived].max()  # at the exit the notebook stays at zero
        notebook[square][move] += learning_rate * (expected - notebook[square][move])
        square, points = arrived, points + reward
        path.append(square)
    return path, points


notebook = np.zeros((*walls.shape, 4))
snapshots, rewards, first_path = {}, [], None
for attempt in range(1, 201):
    path, points = one_try(notebook, 0.1, 0.5, rng)
    first_path = first_path or path
    rewards.append(points)
    if attempt in (1, 5, 15, 200):
        snapshots[attempt] = notebook.copy()
final_path, final_points = one_try(notebook, 0, 0, rng)  # no curiosity, no more learning
assert final_path[-1] == exit_ and len(final_path) < len(first_path) / 3

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, way, title in zip(axes, (first_path, final_path), ("first try", f"after {len(rewards)} tries")):
    ax.imshow(walls, cmap="gray_r", vmax=1.5)
    wobble = rng.uniform(-0.25, 0.25, size=(len(way), 2)) if way is first_path else 0
    ax.plot(*(np.array(way) + wobble).T[::-1], "-", color="C1", linewidth=1.2)
    for square, word in ((start, "start"), (exit_, "exit")):
        box = {"facecolor": "white", "edgecolor": "0.4", "boxstyle": "round"}
        ax.text(*square[::-1], word, ha="center", va="center", bbox=box)
    ax.set(xticks=[], yticks=[], title=f"{title}: {len(way) - 1} steps")
fig.suptitle("Nobody showed it the way")
plt.show()

# %% [markdown]
# How did it find out? Look into the notebook. After the first try, only the square before the exit is
# worth something: that is where the fifty points arrived. On later tries that square makes its neighbour
# worth something, and so the good news creeps back towards the start, until every square knows which way
# to go.

# %%
# Draws the best promise in the notebook for every square, after more and more tries.
fig, axes = plt.subplots(1, 4, figsize=(14, 3.2), layout="constrained")
for ax, (attempt, pages) in zip(axes, snapshots.items()):
    promise = np.where(walls, np.nan, pages.max(axis=-1))  # (6, 8)
    promise[exit_] = np.nan
    image = ax.imshow(promise, cmap="viridis", vmin=-20, vmax=50)
    ax.text(*exit_[::-1], "exit", ha="center", va="center")
    ax.text(*start[::-1], "start", ha="center", va="center", color="white")
    ax.set(xticks=[], yticks=[], title=f"after {attempt} {'try' if attempt == 1 else 'tries'}")
fig.colorbar(image, ax=axes, label="points expected from here")
fig.suptitle("The good news creeps back from the exit to the start")
plt.show()

hopeful = {attempt: int(np.sum(pages.max(axis=-1) > 0)) for attempt, pages in snapshots.items()}
print("Squares that promise more than nothing: " + ", ".join(f"{n} after {k}" for k, n in hopeful.items()))
assert hopeful[1] == 1 and sorted(hopeful.values()) == list(hopeful.values()) and hopeful[200] > 15

# %%
# Draws the points of every try, and what the shortest way would earn.
late = np.mean(rewards[-50:])
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(np.arange(1, len(rewards) + 1), rewards, color="C1", label="points in this try")
ax.axhline(final_points, color="C0", linestyle="--", label="the learned way, without curiosity")
ax.set(xlabel="try", ylabel="points: 50 for the exit, −1 a step", title="Reward alone taught it the way")
ax.legend()
plt.show()

print(
    f"Points: {rewards[0]} on the first try, {late:.1f} on average over the last 50, {final_points} at best."
)
assert rewards[0] < 0 < late < final_points

# %% [markdown]
# The line never becomes quite flat: the agent stays curious, and curiosity costs points. Without any, it
# might have stayed with the first way it found and never have met a shorter one.
#
# ## Which one is it? Ten everyday problems
#
# Two questions sort most problems. *Is there somebody, or some record, that knows the right answer to each
# example?* Then it is supervised. *If not: does the learner act, and does the world answer with better or
# worse?* Then it is reinforcement. If neither, it is unsupervised. Cover the two right-hand columns and
# try:
#
# | the problem | learns from | because |
# | --- | --- | --- |
# | Is this message spam? | a teacher | people have marked thousands as spam |
# | What will this house sell for? | a teacher | past sales tell the price |
# | Is this mole dangerous? | a teacher | doctors examined the earlier ones and wrote down what they were |
# | Sort photographs by who is on them | a drawer | faces alike go together; nobody said who they are |
# | Which customers behave alike? | a drawer | there is no right answer on file |
# | Is this card payment unlike all before it? | a drawer | the new fraud has no examples yet |
# | A robot learns to walk | a treat | nobody can dictate the muscles; falling tells |
# | Play chess better by playing | a treat | only the end of the game says whether it was good |
# | Keep a greenhouse warm for little money | a treat | each turn of the valve shows up on the bill |
# | Guess the next word of a sentence | a teacher | the text itself contains the answer |
#
# The last one is the seed of today's chatbots. No person writes those labels: the text is its own teacher,
# which is called *self-supervised* learning. Such a system is afterwards shown good answers (a teacher)
# and graded by people (a treat). Real systems mix the three.
#
# ## What to remember
#
# - Supervised: examples with answers. Judge it on examples that it has not met.
# - Unsupervised: examples without answers. It finds groups; people say what they mean, and how many.
# - Reinforcement: no examples, only tries and reward. It has to be curious, and that costs.
# - Ask first who knows the right answer.
#
# ## Try it
#
# Predict first, then look again or change one number and run the cells from the top. A cell that stops
# with `AssertionError` tells you that a sentence of the lesson is no longer true after your change.
#
# 1. In the map of the three countries, where would you have to measure a penguin to make the learner
#    guess?
# 2. Change `measurements[[20, 60, 100]]` to three other birds below 342. Does the last round look the
#    same?
# 3. Change `one_try(notebook, 0.1, 0.5, rng)` to a curiosity of `0.5`. What happens to the points, and
#    does the agent still find the short way?
#
# ## Sources
#
# - A. M. Horst, A. P. Hill, K. B. Gorman, *palmerpenguins*, 2020: the data; K. B. Gorman, T. D. Williams,
#   W. R. Fraser, *PLoS ONE* 9, 2014: the measuring.
# - E. Fix, J. L. Hodges, "Discriminatory analysis: nonparametric discrimination", 1951: voting neighbours.
# - S. P. Lloyd, "Least squares quantization in PCM", 1957, *IEEE Transactions on Information Theory* 28,
#   1982: k-means.
# - R. S. Sutton, A. G. Barto, *Reinforcement Learning: An Introduction*, 2nd edition, 2018, section 6.5:
#   the notebook is *Q-learning*, by C. Watkins, 1989.
