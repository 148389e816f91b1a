# %% [markdown]
# # 1.3 Three ways to learn: from labels, from likeness, and from rewards
#
# On an island near Antarctica, researchers want a program for three jobs. It should name the species of a
# penguin from its measurements. It should find out which groups there are among birds that nobody has
# named. And it should steer a small robot between the rocks to the hut. All three jobs are done by
# learning, but they differ in what the learner can be told about the right answer: all of it, nothing, or
# only whether things went well. What can be learned in each case?
#
# Spam filters, customer groups and chess programs learn in these three ways, and chatbots in a mixture of
# them. Before such a project is planned, one has to know which of the ways is open.
#
# **You will see** penguins named and weighed by learning from known ones, penguins sorted without any
# names, and a robot that finds its way by reward alone. Then you sort ten everyday problems yourself.
# **You need** labels, training sets and test sets (1.1), and the learning rate (1.2). You may leave the
# code folded.

# %% [markdown]
# ## On paper first
#
# The bills of five penguins are 38, 39, 40, 47 and 48 mm long, and we want to learn from them.
#
# _With labels._ Somebody knows that the first three are Adélie penguins and the last two gentoos. A new
# bird has a bill of 46 mm, and we look for the known birds that are most like it. The nearest three have
# bills of 47, 48 and 40 mm, so they are gentoo, gentoo and Adélie, and the majority says gentoo.
#
# _Without labels._ Nobody knows the species, and we only want two groups of birds that are alike. Begin
# with any two birds as centres, say 38 and 39. Put each bird to its nearer centre, move each centre to
# the mean of its group, and repeat:
#
# | centres | first group | second group | means |
# | --- | --- | --- | --- |
# | 38 and 39 | 38 | 39, 40, 47, 48 | 38 and 43.5 |
# | 38 and 43.5 | 38, 39, 40 | 47, 48 | 39 and 47.5 |
# | 39 and 47.5 | 38, 39, 40 | 47, 48 | 39 and 47.5 |
#
# In the last row nothing moves any more. The groups are those of the two species, although no species was
# mentioned.
#
# _With rewards_ there is no such table of birds. The third learner has to act before it learns anything.
#
# ## Supervised learning: the answers are known
#
# The researchers measured how long each bill is, and how deep from top to bottom. Such measurements, from
# which a learner is to find the answer, are called *features*. They also wrote down the species, which is
# the label, the right answer that comes with each example (1.1). Learning from examples with labels is
# called *supervised learning*.
#
# The learner does what we did on paper: it looks up the five most similar birds of the training set and
# takes the majority, which is called *k-nearest neighbours*, here with k = 5. One thing needs care,
# because bills differ more in length than in depth, so that a millimetre of depth says more. Therefore we
# divide each difference by the feature's spread, a typical distance of the birds from their mean (the
# _standard deviation_, lesson 2.8). Then one unit means the same for both.


# %%
# Draws nothing: it reads the measurements, and holds the learner.
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))
labels = np.array([SPECIES.index(row["species"]) for row in birds])  # (n,)

bills = measurements[:, :2]  # (n, 2): length and depth
order = rng.permutation(len(labels))
train = order[:150]
test = order[150:]
train_spread = bills[train].std(axis=0)  # (2,): how much each feature differs from bird to bird


def neighbours(bird, others, n_neighbours):
    """Places of the n_neighbours rows of `others` (n, 2) nearest to `bird` (2,), the nearest first."""
    if not 1 <= n_neighbours <= len(others):
        raise ValueError(f"n_neighbours must lie in 1 to {len(others)}, got {n_neighbours}")
    distance = (((others - bird) / train_spread) ** 2).sum(axis=1)  # (n,)
    return np.argsort(distance, kind="stable")[:n_neighbours]


def species_of(birds, n_neighbours=5):
    """The most common species among the nearest training birds, for each row of `birds` (n, 2)."""
    near = [labels[train][neighbours(bird, bills[train], n_neighbours)] for bird in birds]
    return np.array([np.bincount(species).argmax() for species in near])


def draw_birds(ax, places, kinds, **settings):
    """The bills of the birds at `places`, with a marker and a colour for each kind."""
    for kind, marker in enumerate("o^s"):
        members = bills[places[kinds == kind]]
        color = settings.get("edgecolor", f"C{kind}")
        ax.scatter(*members.T, marker=marker, facecolor="none", edgecolor=color, s=25, label=SPECIES[kind])
    ax.set(xlabel="bill length (mm)", ylabel="bill depth (mm)")


# %% [markdown]
# First we look at one new bird. Its species is on file, but the learner is not told.

# %%
# Draws the penguins of the training set, a new bird, and its five nearest neighbours.
votes = [np.bincount(labels[train][neighbours(bills[i], bills[train], 5)], minlength=3) for i in test]
guesses = np.array([vote.argmax() for vote in votes])  # (n_test,)
agreed = np.array([vote.max() == 5 for vote in votes])  # (n_test,): all five neighbours of one species
divided = np.array([vote.max() == 3 for vote in votes])  # (n_test,): three against two
missed = guesses != labels[test]  # (n_test,)
newcomer = test[divided & ~missed][0]
near = train[neighbours(bills[newcomer], bills[train], 5)]

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
draw_birds(ax, train, labels[train])
for place in near:
    ax.plot(*bills[[newcomer, place]].T, color="0.4", linewidth=0.8)
ax.plot(*bills[newcomer], "k*", markersize=12, label="a new bird")
ax.set(xlim=(22, 61), title="A new bird and its five nearest neighbours")
ax.legend(loc="upper left")
plt.show()
print("Its neighbours: " + ", ".join(SPECIES[kind] for kind in labels[near]))
print(f"Its species: {SPECIES[labels[newcomer]]}")

# %% [markdown]
# We chose a test bird on which the vote is close and the majority is right. The star stands where two
# species meet, so its neighbours do not agree. How often is it right on birds that were kept back, and
# where would you expect the mistakes? The next figure asks for the majority at every point of the map.

# %%
# Draws the species that the majority gives at each point, and the test birds, mistakes crossed out.
lengths = np.linspace(31, 61, 80)
depths = np.linspace(12.5, 22, 60)
grid = np.stack(np.meshgrid(lengths, depths), axis=-1).reshape(-1, 2)  # (60 * 80, 2)
regions = species_of(grid).reshape(60, 80)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
colors = plt.matplotlib.colors.ListedColormap(["C0", "C1", "C2"])
edges = (lengths[0], lengths[-1], depths[0], depths[-1])
ax.imshow(regions, origin="lower", extent=edges, aspect="auto", cmap=colors, vmin=0, vmax=2, alpha=0.2)
draw_birds(ax, test[~missed], labels[test][~missed], edgecolor="0.2")
ax.scatter(*bills[test][missed].T, marker="x", color="C3", s=50, label="misnamed")
ax.set_title("Test birds on the map of majorities")
ax.legend(loc="lower left")
plt.show()
print(f"Named correctly: {np.sum(~missed)} of {len(test)} test birds")
print(f"All five neighbours agreed for {agreed[~missed].sum()} of the {np.sum(~missed)} correct ones,")
print(f"and for {agreed[missed].sum()} of the {missed.sum()} others.")

# %% [markdown]
# Nobody drew the borders of the three coloured regions, which follow from the labelled birds alone. The
# crosses lie near the borders, where the neighbours disagree, so the learner could have warned us of most
# of its mistakes.
#
# ## When the answer is a number
#
# The species is one of several classes, so naming it was classification (1.1). A label can also be a
# number, such as the mass of the bird, and then the task is called *regression*. The same method does it
# if we take the mean of the neighbours' masses in place of their majority. Weighing a wild penguin is
# laborious, while its flipper is measured in a moment. If we always guess the mean mass of all birds, we
# are off by 0.7 kg on average. How close will the mean of the neighbours come?

# %%
# Draws the guess of a penguin's mass from its flipper, by the mean of fifteen neighbours.
flipper = measurements[:, 2]  # (n,): mm
mass = measurements[:, 3] / 1000  # (n,): kg


def mass_of(lengths, n_neighbours=15):
    """The mean mass of the training birds with the most similar flippers, for each of `lengths` (n,)."""
    gaps = np.abs(lengths[:, None] - flipper[train])  # (n, 1) - (150,) -> (n, 150)
    near = np.argsort(gaps, axis=1, kind="stable")[:, :n_neighbours]  # (n, n_neighbours)
    return mass[train][near].mean(axis=1)


mass_error = np.abs(mass_of(flipper[test]) - mass[test]).mean()
mean_error = np.abs(mass[train].mean() - mass[test]).mean()
flippers = np.linspace(172, 231, 119)  # (119,)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(flipper[test], mass[test], "o", color="C0", markersize=3, label="test birds")
ax.plot(flippers, mass_of(flippers), color="C1", label="mean of 15 neighbours")
ax.axhline(mass[train].mean(), color="0.4", linestyle=":", label="mean of all training birds")
ax.set(xlabel="flipper length (mm)", ylabel="mass (kg)", title="Regression: the label is a number")
ax.legend()
plt.show()
print(f"Off by {mass_error:.2f} kg on average; always guessing the mean is off by {mean_error:.2f} kg.")

# %% [markdown]
# The orange line rises with the flipper, and its guesses are off by about half as much as those of the
# dotted line. In regression no answer is simply right or wrong, so we count how far off it is.
#
# ## Unsupervised learning: no answers
#
# Now take the names away. Nobody says what is to be found, and still there may be something, namely
# groups of birds that are alike. Learning without labels is *unsupervised learning*, and the search for
# groups is *clustering*. The method is the one from the paper, with two features and three centres, and
# it is called *k-means*. A bird belongs to the nearest centre, the centres move to the means of their
# groups, or *clusters*, and this is repeated until nothing moves. Do you expect the clusters to be the
# species?


# %%
# Draws the clusters as they form: the first, the second and the third round, and the last.
spread = bills.std(axis=0)  # (2,)


def nearest_centre(birds, centres):
    """The nearest centre, 0 to k − 1, of each bird; birds (n, 2), centres (k, 2) -> (n,)."""
    gaps = (birds[:, None] - centres) / spread  # (n, 1, 2) - (k, 2) -> (n, k, 2)
    return (gaps**2).sum(axis=-1).argmin(axis=1)


def move_centres(birds, clusters, centres):
    """The mean of each cluster, or its old centre if it is empty.

    birds (n, 2), clusters (n,), centres (k, 2) -> (k, 2).
    """
    members = [birds[clusters == k] for k in range(len(centres))]
    return np.stack([group.mean(axis=0) if len(group) else old for group, old in zip(members, centres)])


def k_means(birds, centres):
    """Every round of k-means from the first `centres` (k, 2) on: a list of (clusters, centres)."""
    history = []
    while not history or not np.allclose(history[-1][1], centres):
        clusters = nearest_centre(birds, centres)
        history.append((clusters, centres))
        centres = move_centres(birds, clusters, centres)
    return history


first_birds = [20, 60, 100]
history = k_means(bills, bills[first_birds])
clusters = history[-1][0]  # (n,)

fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained", sharex=True, sharey=True)
for ax, turn in zip(axes, (0, 1, 2, len(history) - 1)):
    for cluster, marker in enumerate("o^s"):
        members = bills[history[turn][0] == cluster]
        ax.scatter(*members.T, marker=marker, facecolor="none", edgecolor=f"C{cluster + 3}", s=15)
    ax.plot(*history[turn][1].T, "k+", markersize=14, markeredgewidth=2.5)
    ax.set(xlabel="bill length (mm)", title=f"round {turn + 1}")
axes[0].set_ylabel("bill depth (mm)")
fig.suptitle("k-means on penguins without names (+: the centres)")
plt.show()
print(f"Nothing moved any more after {len(history)} rounds.")

# %% [markdown]
# The three centres begin at arbitrary birds, and within a few rounds each of them sits in a cloud of its
# own. The learner has never seen a species, but we have them on file, so we can look up what it found. We
# also try twenty other beginnings.

# %%
# Draws the clusters beside the species, and marks the birds on which they differ.
counts = np.array([[np.sum((clusters == k) & (labels == kind)) for kind in range(3)] for k in range(3)])
mostly = counts.argmax(axis=1)  # (3,): the species that most birds of each cluster have
strays = np.flatnonzero(mostly[clusters] != labels)
agreement = 1 - len(strays) / len(labels)
same_result = 0
for _ in range(20):
    other_birds = rng.choice(len(bills), size=3, replace=False)
    others = k_means(bills, bills[other_birds])[-1][0]  # (n,)
    shared = [np.bincount(clusters[others == k]).max(initial=0) for k in range(3)]  # birds in one of ours
    same_result += sum(shared) >= len(bills) - 5

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
everybody = np.arange(len(labels))
draw_birds(left, everybody, mostly[clusters])
draw_birds(right, everybody, labels)
for ax in (left, right):
    ax.scatter(*bills[strays].T, marker="x", color="black", s=12, linewidth=0.6, label="they differ")
left.set_title("Clusters, in the colour of their most common species")
right.set_title("Species")
right.legend(fontsize=8, loc="lower right")
plt.show()
print(f"{'cluster':20s}" + "".join(f"{name:>12s}" for name in SPECIES))
for k, row in enumerate(counts):
    print(f"{k + 1:<20d}" + "".join(f"{count:12d}" for count in row))
print(f"{100 * agreement:.0f} % of the birds are in the cluster of their species.")
print(f"{same_result} of 20 other beginnings led to the same clusters, but for five birds at most.")

# %% [markdown]
# Each cluster holds mostly one species, with a few birds of another at its edge, and nearly all
# beginnings lead to the same clusters. So most of the division into species can be found in the bills
# alone. But the learner found neither the names of the species nor their number, because it was we who
# said three. If we ask for two clusters or for five, it sorts the birds just as willingly, and what a
# cluster means is for people to say.
#
# ## Reinforcement learning: only rewards
#
# Nobody can tell the robot which wheel to turn when, but somebody can tell it how things went: every step
# costs one point, and reaching the hut brings fifty. Learning from such a *reward*, by trying, is
# *reinforcement learning*, and the one who tries is called the *agent*. Our agent cannot see the rocks,
# but only takes a step in one of four directions, and if a rock is in the way it stays where it is.
#
# For each square and each direction the agent keeps an *action value*: how many points it expects from
# there on. All values begin at zero. After each step the agent knows a little more, because it now stands
# on the next square and can read the best value there. That value plus the points of the step is what the
# old value should have been, so the old value is moved halfway towards it (the learning rate is one
# half). For example, if the old value is 0, the step costs one point, and the best value on the next
# square is 20, then the old value should have been 19 and becomes 9.5. Nine times in ten the agent takes
# the direction with the best value, and otherwise a random one. It walks from the start to the hut two
# hundred times.


# %%
# Draws nothing: it holds the world of the agent, and what the agent does on a walk.
ROCKS = (
    "S...#...",
    ".##...#.",
    ".#..#.#.",
    "...##...",
    ".#.#..#.",
    "...##..H",
)
rocks = np.array([[square == "#" for square in row] for row in ROCKS])  # (6, 8)
start = (0, 0)
hut = (5, 7)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def step(square, move, rewards):
    """The next square and the points for the step; rocks and edges leave the agent where it is."""
    row = square[0] + MOVES[move][0]
    column = square[1] + MOVES[move][1]
    inside = 0 <= row < rocks.shape[0] and 0 <= column < rocks.shape[1]
    arrived = (row, column) if inside and not rocks[row, column] else square
    return arrived, rewards.get(arrived, 0) - 1


def walk(values, rewards, randomness, learning_rate, rng):
    """One walk to a square with a reward, of at most 1,000 steps, which corrects `values` (rows, columns, 4).

    rewards: {square: points}. Returns the squares of the walk and its points in all.
    """
    if not (0 <= randomness <= 1 and 0 <= learning_rate <= 1):
        raise ValueError(f"randomness {randomness} and learning_rate {learning_rate} must lie in 0 to 1")
    square = start
    path = [start]
    points = 0
    while square not in rewards and len(path) <= 1000:
        best = np.flatnonzero(values[square] == values[square].max())
        move = rng.integers(4) if rng.random() < randomness else best[rng.integers(len(best))]
        arrived, reward = step(square, move, rewards)
        ahead = 0 if arrived in rewards else values[arrived].max()  # the walk ends at a reward
        values[square][move] += learning_rate * (reward + ahead - values[square][move])
        square = arrived
        points += reward
        path.append(square)
    return path, points


# %% [markdown]
# How many steps will its first walk take, and how many its last?

# %%
# Draws the rocks, the agent's first walk, and its way after two hundred walks.
walk_rng = np.random.default_rng(0)
values = np.zeros((*rocks.shape, 4))
snapshots = {}  # after so many walks: the best value of each square
points_of_walks = []
for n_walks in range(1, 201):
    path, points = walk(values, {hut: 50}, 0.1, 0.5, walk_rng)
    points_of_walks.append(points)
    if n_walks == 1:
        first_path = path
    if n_walks in (1, 5, 15, 200):
        snapshots[n_walks] = values.max(axis=-1)  # (6, 8, 4) -> (6, 8)
final_path, final_points = walk(values, {hut: 50}, 0, 0, walk_rng)  # no random step, no more learning


def draw_rocks(ax, title, words):
    """The rocks, and words on some squares."""
    ax.imshow(rocks, cmap="gray_r", vmax=1.5)
    box = {"facecolor": "white", "edgecolor": "0.4", "boxstyle": "round"}
    for square, word in words.items():
        ax.text(*square[::-1], word, ha="center", va="center", bbox=box)
    ax.set(xticks=[], yticks=[], title=title)


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
jitter = np.random.default_rng(0).uniform(-0.25, 0.25, size=(len(first_path), 2))
left.plot(*(np.array(first_path) + jitter).T[::-1], color="C1", linewidth=1.2)
right.plot(*np.array(final_path).T[::-1], color="C1", linewidth=1.2)
draw_rocks(left, f"first walk: {len(first_path) - 1} steps", {start: "start", hut: "hut"})
draw_rocks(right, f"after 200 walks: {len(final_path) - 1} steps", {start: "start", hut: "hut"})
plt.show()

# %% [markdown]
# On its first walk the agent stumbles about until it happens to reach the hut. After two hundred walks it
# goes straight there, and nobody has shown it the way. How did it find out? The next figure shows the
# best value of each square after more and more walks.

# %%
# Draws the best value of every square after one, five, fifteen and two hundred walks.
fig, axes = plt.subplots(1, 4, figsize=(14, 3.2), layout="constrained")
for ax, (n_walks, best_values) in zip(axes, snapshots.items()):
    shown = np.where(rocks, np.nan, best_values)  # (6, 8)
    shown[hut] = np.nan
    image = ax.imshow(shown, cmap="viridis", vmin=-20, vmax=50)
    ax.text(*hut[::-1], "hut", ha="center", va="center")
    ax.text(*start[::-1], "start", ha="center", va="center", bbox={"facecolor": "white", "alpha": 0.7})
    ax.set(xticks=[], yticks=[], title=f"after {n_walks} walk{'s' * (n_walks > 1)}")
fig.colorbar(image, ax=axes, label="best value (points)")
plt.show()

positive = {n_walks: int(np.sum(best_values > 0)) for n_walks, best_values in snapshots.items()}
n_free = int(np.sum(~rocks)) - 1  # without the hut
on_its_way = [snapshots[200][square] > 0 for square in final_path[:-1]]
for n_walks, count in positive.items():
    print(f"after {n_walks:3d} walks, squares with a value above zero: {count:3d} of {n_free}")

# %% [markdown]
# After the first walk a single square is worth something, the one before the hut, where the fifty points
# arrived. On later walks this square makes its neighbour worth something, and so the value spreads back
# towards the start, but it does not reach all squares. Where the agent seldom comes, because it already
# knows a good way, the values stay low or wrong.
#
# ## Does it have to try things at random?
#
# The agent takes one step in ten at random, and such steps cost points. One might think that they are
# needed, because without them it could stay with the first way that it finds and never meet a better one.
# Trying out what is not yet known is called *exploration*. We let ten agents learn without random steps,
# and ten each with more and more of them. Then we do the same in a second world: there, a shed on the way
# ends the walk, too, and brings ten points. The hut is still better, with 38 points in all after the
# twelve steps to it, against none after the ten steps to the shed.

# %%
# Draws how many of ten agents learn the best way, with more and more random steps, in two worlds.
shed = (4, 4)
worlds = {"only the hut": {hut: 50}, "hut and shed": {hut: 50, shed: 10}}
plans = {"none": (0, 0), "10 %": (0.1, 0), "30 %": (0.3, 0), "50 %": (0.5, 0), "none, hopeful": (0, 50)}
n_agents = 10
found = {}  # for each world: how many agents end on the best way, for each setting
earned = {}  # for each world: points of a walk, averaged over the last 50 of 200 walks
for world, rewards in worlds.items():
    found[world] = []
    earned[world] = []
    for randomness, first_value in plans.values():
        late_points = []
        n_found = 0
        for seed in range(n_agents):
            agent_rng = np.random.default_rng(seed)
            agent_values = np.full((*rocks.shape, 4), float(first_value))
            walks = [walk(agent_values, rewards, randomness, 0.5, agent_rng) for _ in range(200)]
            late_points.append(np.mean([points for _, points in walks[-50:]]))
            n_found += walk(agent_values, rewards, 0, 0, agent_rng)[1] == final_points
        found[world].append(n_found)
        earned[world].append(np.mean(late_points))

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained")
draw_rocks(axes[0], "the second world", {start: "start", shed: "shed", hut: "hut"})
for ax, world in zip(axes[1:], worlds):
    bars = ax.bar(list(plans), found[world], color=["C0"] * 4 + ["C1"])
    ax.bar_label(bars)
    ax.set(ylim=(0, 11.5), xlabel="random steps", ylabel="agents on the best way, of ten", title=world)
plt.show()

print(f"{'random steps':20s}" + "".join(f"{world:>16s}" for world in worlds) + "   (points of a late walk)")
for place, name in enumerate(plans):
    print(f"{name:20s}" + "".join(f"{earned[world][place]:16.1f}" for world in worlds))

# %% [markdown]
# In the first world the random steps were not needed. All ten agents find a shortest way without them,
# and with more of them a walk only earns less. A likely reason is the price of a step: each step that was
# tried costs a point, so it soon looks worse than a step that was not tried, and the agent explores by
# itself.
#
# In the second world it is different. Without random steps each of the ten agents is content with the
# shed. Near the shed, the step towards it is soon worth more than zero, and so it looks better than
# everything untried. With more random steps more agents come across the hut, but they pay for it on every
# walk, so in the last column of the table the points rise at first and then fall again. The agents of the
# orange bar explore in another way. They take no random step, but their values begin at fifty instead of
# zero, so everything untried looks wonderful until it has been tried. So an agent has to explore if an
# early success can hide a better one, and random steps are one way to do it among others.
#
# ## Which of the three is it?
#
# Two questions sort most problems. If somebody, or some record, knows the right answer to each example,
# then learning is supervised. If not, does the learner act, and does the world answer with better or
# worse? If so, it is reinforcement learning, and otherwise unsupervised. Cover the two columns on the
# right and try:
#
# | problem | learning | because |
# | --- | --- | --- |
# | Is this message spam? | supervised | people have marked thousands as spam |
# | What will this house sell for? | supervised (regression) | past sales tell the price |
# | Is this mole dangerous? | supervised | doctors examined earlier ones and wrote down the result |
# | Sort photographs by who is on them | unsupervised | faces are alike or not; nobody said whose they are |
# | Which customers behave alike? | unsupervised | no right answer is on file |
# | Is this card payment unlike all before it? | unsupervised | the new fraud has no examples yet |
# | A robot learns to walk | reinforcement | nobody can dictate each movement; falling tells |
# | Play chess better by playing | reinforcement | only the end of the game says whether it was good |
# | Keep a greenhouse warm for little money | reinforcement | each turn of the valve shows up on the bill |
# | Guess the next word of a sentence | self-supervised | the text itself holds the answer |
#
# The last problem is the one that chatbots begin with. No person writes these labels, since each text is
# its own answer sheet, and that is called *self-supervised learning*. Then a chatbot is trained on good
# answers that people wrote, which is supervised, and on grades for its own answers, which is
# reinforcement learning. Real systems mix the three ways.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
# Draws nothing: it checks what the lesson says.
assert not agreed[test == newcomer][0], "the neighbours of the new bird do not agree"
assert (~missed).mean() > 0.9, "the majority names more than nine in ten test birds correctly"
assert agreed[missed].mean() < 0.5 < agreed[~missed].mean(), "most mistakes lie where the neighbours disagree"
assert 0.6 < mean_error < 0.8, "always guessing the mean is off by about 0.7 kg"
assert mass_error < 0.6 * mean_error, "the neighbours' mean is off by about half as much as the overall mean"
assert sorted(mostly) == [0, 1, 2], "each cluster holds mostly one species, a different one for each"
assert agreement > 0.85, "without names, most birds end up in the cluster of their species"
assert same_result >= 17, "nearly all beginnings lead to the same clusters"
assert len(final_path) < len(first_path) / 3, "after two hundred walks the way is far shorter"
assert final_points == 38, "the best way takes twelve steps and earns 38 points"
assert positive[1] == 1, "after the first walk a single square is worth something"
assert positive[1] < positive[5] < positive[15] < positive[200], "the value spreads from walk to walk"
assert all(on_its_way), "each square on its way is worth something"
assert positive[200] < n_free - 5, "but not all squares are"
assert found["only the hut"][:4] == [n_agents] * 4, "with the hut alone, random steps are not needed"
assert np.all(np.diff(earned["only the hut"][:4]) < 0), "and the more of them, the less a walk earns"
assert found["hut and shed"][0] == 0, "with the shed, all agents without random steps are content with it"
assert found["hut and shed"][3] > found["hut and shed"][1], "more random steps: more agents find the hut"
ten_percent, thirty_percent, half = earned["hut and shed"][1:4]
assert thirty_percent > max(ten_percent, half), (
    "and they pay for it: the points of a walk rise at first and then fall again"
)
assert found["hut and shed"][4] == n_agents, "hopeful first values find it without a random step"

# %% [markdown]
# ## What to remember
#
# - Supervised: examples with labels, for classification or regression. Judge it on a test set.
# - Unsupervised: examples without labels. It finds clusters, and people say how many and what they mean.
# - Reinforcement: no examples, only actions and rewards. The learner has to explore if an early success
#   can hide a better one.
# - Ask first who knows the right answer.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In the cell that draws the species at each point of the map, give the majority more voters: change
#    `regions = species_of(grid)` to `regions = species_of(grid, 75)`, half of all training birds. Which
#    species will lose its region, and why that one? Look at the second figure.
# 2. In the cell that draws the clusters as they form, change `first_birds = [20, 60, 100]` to
#    `first_birds = [0, 1, 2]`, three Adélie penguins. Will the last round look the same, and will it take
#    more rounds or fewer?
# 3. In the cell with the two worlds, take the points away from the shed, which still ends the walk:
#    change `shed: 10}` to `shed: 0}`. Will agents without random steps find the hut now? Think of what
#    the value of the last step to the shed becomes, and what the value of an untried step is.
#
# ## Sources
#
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data; K. B. Gorman, T. D. Williams,
#   W. R. Fraser, _PLoS ONE_ 9, 2014: the measuring.
# - E. Fix, J. L. Hodges, "Discriminatory analysis: nonparametric discrimination", 1951: nearest
#   neighbours.
# - S. P. Lloyd, "Least squares quantization in PCM", 1957, _IEEE Transactions on Information Theory_ 28,
#   1982: k-means.
# - R. S. Sutton, A. G. Barto, _Reinforcement Learning: An Introduction_, 2nd edition, 2018, section 6.5
#   (the method is _Q-learning_, by C. Watkins, 1989) and section 2.6: optimistic first values explore.
#   Reproduced: "hopeful first values find it without a random step".
