# %% [markdown]
# # 1.2 How a network works: weighted votes, layers, and training
#
# A program looks at an X-ray and says "broken". If it is wrong, somebody wears a cast for nothing, and if
# it says "not broken" and is wrong, a fracture goes untreated. Programs that read X-rays, faces or
# handwriting are nearly all neural networks, and a large network is built from a single small part,
# repeated millions of times. What does this part do, and how do many of them come to read a picture?
#
# The part is called a *neuron*. It takes a weighted vote: what speaks for an answer and what speaks
# against it are added up, each with its own weight. You do the same when you decide whether to go to the
# beach.
#
# **You will see** a neuron at work in numbers, a network that is trained from nothing to read digits, one
# digit on its way through it, and a digit that it gets wrong. **You need** training sets, test sets and
# layers (1.1). You may leave the code folded.

# %% [markdown]
# ## On paper first
#
# Shall we go to the beach? The sun is out, there is wind, and it does not rain. These are the *inputs*,
# with 1 for yes and 0 for no. Each of them has a *weight*, because sun speaks for going, wind speaks a
# little against it, and rain speaks strongly against it. A last number, the *bias*, is the opinion before
# anything is known, and we are a little lazy. Multiply each input by its weight, and add everything up:
#
# | | input | weight | input × weight |
# | --- | ---: | ---: | ---: |
# | sun | 1 | +2 | +2 |
# | wind | 1 | −1 | −1 |
# | rain | 0 | −4 | 0 |
# | bias | | | −0.5 |
# | total | | | **+0.5** |
#
# The total is above zero, so we go, though not with much conviction. If it rained as well, the third row
# would be −4 and the total −3.5, and we would stay at home.
#
# What a neuron passes on is called its *activation*. Ours passes on its total if that is above zero, and
# otherwise it is silent and passes on zero: 0.5 on the first day and 0 on the second. This way of turning
# the total into the activation has a name, too, the *rectified linear unit* or *ReLU*.
#
# ## A neuron looks at a digit
#
# With pictures nothing changes, except that there are more inputs. A digit has 64 pixels, so the neuron
# has 64 weights. Where a weight is positive, ink speaks for the answer, where it is negative, ink speaks
# against it, and pixels without ink add nothing. Here is a neuron that asks whether a digit is a one. We
# choose its weights by hand, as the average one less the average zero of lesson 1.1. What will it make of
# a zero and of a one?

# %%
# Draws two digits, a neuron's weights, and what each pixel adds to the total.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
order = rng.permutation(len(labels))  # (1797,): all the digits' places, shuffled
train = order[:1000]
test = order[1000:]


def draw_pixels(ax, pixels, title="", limit=None):
    """Draw 64 numbers as 8 by 8 squares: ink in grey, or from −limit (red) to +limit (blue)."""
    if limit is None:
        ax.imshow(pixels.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    else:
        ax.imshow(pixels.reshape(8, 8), cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[], title=title)


average_zero = images[train][labels[train] == 0].mean(axis=0)  # (64,)
average_one = images[train][labels[train] == 1].mean(axis=0)  # (64,)
one_weight = average_one - average_zero  # (64,)
# with this bias the total is zero for a picture that is equally far from both averages (1.1)
one_bias = (average_zero @ average_zero - average_one @ average_one) / 2
zero = test[labels[test] == 0][0]
one = test[labels[test] == 1][0]
totals = {which: images[which] @ one_weight + one_bias for which in (zero, one)}  # (64,) @ (64,) -> a number

fig, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
for row, which in zip(axes, (zero, one)):
    draw_pixels(row[0], images[which], f"input: the ink of a {labels[which]}")
    draw_pixels(row[1], one_weight, "weights (blue: for, red: against)", limit=1)
    draw_pixels(row[2], images[which] * one_weight, f"input × weight\ntotal {totals[which]:+.1f}", limit=1)
fig.suptitle('A neuron that asks "is this a one?"')
plt.show()

# %% [markdown]
# The weights are blue along the stroke of a one and red around it, where zeros have their ink. In the
# upper row the ink of the zero falls on red weights, so the total is below zero and the neuron is silent.
# In the lower row the ink of the one falls on blue weights, and the neuron is active.
#
# ## Why a neuron is silent below zero
#
# It would be simpler to pass on every total, also the negative ones. What is the silence good for? Take a
# single input, the temperature. A day at the beach should be neither cold nor hot. One neuron alone
# cannot say so, because its total only rises with the temperature, or only falls. So we let one neuron
# find out how far it is above 20 degrees (weight +1, bias −20) and a second one how far it is above 30
# (weight +1, bias −30), and we let a third listen to these two: it counts the first with the weight +1
# and the second with the weight −3. On the left the first two are silent below zero, and on the right
# they pass everything on. Which of the two pictures recommends 25 degrees, but neither 10 nor 40?

# %%
# Draws what two neurons pass on at each temperature, and what a third makes of it, with and without ReLU.
temperature = np.linspace(10, 40, 61)  # (61,)
warm_total = temperature - 20
hot_total = temperature - 30
hot_weight = -3
comfort = {
    "silent below zero": np.maximum(warm_total, 0) + hot_weight * np.maximum(hot_total, 0),
    "never silent": warm_total + hot_weight * hot_total,
}

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (name, third), lowest in zip(axes, comfort.items(), (0, -np.inf)):
    ax.plot(temperature, np.maximum(warm_total, lowest), "--", color="C0", label="above 20°?")
    ax.plot(temperature, np.maximum(hot_total, lowest), ":", color="C0", label="above 30°?")
    ax.plot(temperature, third, color="C1", label="total of the third neuron")
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="temperature (°C)", title=f"The first two neurons are {name}")
axes[0].set_ylabel("what is passed on")
axes[0].legend(loc="upper left")
plt.show()

# %% [markdown]
# On the left the orange total rises from 20 degrees to 30 and falls beyond, so this little network
# recommends warm days that are not hot. On the right there is only a straight line, which recommends the
# coldest day most of all. For each further degree the first neuron adds one and the second takes away
# three, so the total falls by two everywhere, and a single neuron with the weight −2 could do that alone.
# Without something like the silence, neurons that listen to neurons add nothing new. With it, each of
# them can matter in its own range.
#
# ## Layers
#
# Neurons that all look at the same thing form a layer. The picture is looked at by a *hidden layer*, here
# of twelve neurons, each with weights of its own. The *output layer* has ten neurons, one for each digit,
# and their inputs are the twelve activations, so they never see the picture. Their ten totals are called
# scores (1.1), and a function called *softmax* turns the scores into probabilities that add up to 100 %.
# Only the differences between the scores matter to it: if one score is larger than another by 4, its
# digit gets about fifty times the other's probability.
#
# All weights and biases together are the *parameters* of the network. At first they are random numbers,
# so the network looks for nothing in particular. What will it say to a seven?


# %%
# Draws an untrained network: what each hidden neuron looks for, its activation, and the ten probabilities.
def softmax(scores):
    """Probabilities that grow with the scores; (n, 10) -> (n, 10), each row adds up to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def forward(images, network):
    """Activations (n, n_hidden) of the hidden layer and probabilities (n, 10) for images (n, 64)."""
    weight1, bias1, weight2, bias2 = network
    activations = np.maximum(images @ weight1.T + bias1, 0)  # (n, 64) @ (64, n_hidden) -> (n, n_hidden)
    return activations, softmax(activations @ weight2.T + bias2)  # (n, n_hidden) @ (n_hidden, 10) -> (n, 10)


def start_network(n_hidden, rng):
    """Random weights: [weight1 (n_hidden, 64), bias1 (n_hidden,), weight2 (10, n_hidden), bias2 (10,)]."""
    weight1 = rng.normal(scale=0.2, size=(n_hidden, 64))
    weight2 = rng.normal(scale=0.2, size=(10, n_hidden))
    return [weight1, np.full(n_hidden, 0.5), weight2, np.zeros(10)]


n_hidden = 12
untrained = start_network(n_hidden, rng)
n_parameters = sum(part.size for part in untrained)
seven = test[labels[test] == 7][0]
activations, probabilities = forward(images[[seven]], untrained)  # (1, n_hidden), (1, 10)
untrained_best = probabilities.max()

fig = plt.figure(figsize=(14, 4), layout="constrained")
grid = fig.add_gridspec(2, n_hidden + 1, height_ratios=[1, 1.3])
draw_pixels(fig.add_subplot(grid[0, 0]), images[seven], "a seven")
for column, (weight, activation) in enumerate(zip(untrained[0], activations[0]), 1):
    words = f"{activation:.2f}" if activation else "silent"
    draw_pixels(fig.add_subplot(grid[0, column]), weight, words, limit=0.6)
ax = fig.add_subplot(grid[1, :])
ax.bar(range(10), 100 * probabilities[0], color=["C1" if digit == 7 else "0.7" for digit in range(10)])
ax.set(xticks=range(10), ylim=(0, 100), xlabel="digit", ylabel="probability (%)")
fig.suptitle("Weights and activations of the hidden neurons before training, and the ten probabilities")
plt.show()
print(f"This network has {n_parameters} parameters.")

# %% [markdown]
# Above are the weights of the hidden neurons, which show no pattern, and over each of them its
# activation. Below, each digit gets a bit of the probability, and the seven, in orange, does not stand
# out. A network that has not been trained only guesses.
#
# ## Training
#
# Nobody could set all these parameters by hand. What is needed first is a number that says how wrong the
# network is, called the *loss*. It is zero if all of the probability goes to the right digits, and large
# if little of it does. Now take one single weight, here the one that says how strongly a certain hidden
# neuron speaks for a four, turn it up or down, and leave all the others alone. How will the loss on the
# training set change?


# %%
# Draws the loss as one weight is changed, where this weight stands, and in which direction the loss falls.
def loss(images, labels, network):
    """Minus the logarithm of the probability of the right digit, on average."""
    probabilities = forward(images, network)[1]
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def losses_along(place, values, network):
    """The loss on the training set with the weight at `place` of the output layer set to each of `values`."""
    changed = [part.copy() for part in network]
    losses = []
    for value in values:
        changed[2][place] = value
        losses.append(loss(images[train], labels[train], changed))
    return np.array(losses)


place = (4, (n_hidden - 1) // 2)  # how much a hidden neuron in the middle speaks for a four
values = np.linspace(-2, 1, 31)  # (31,)
valley = losses_along(place, values, untrained)  # (31,)
here = untrained[2][place]
slope = np.diff(losses_along(place, [here - 0.01, here + 0.01], untrained))[0] / 0.02
moved = here - 0.5 * np.sign(slope)  # half a unit in the direction in which the loss falls
loss_here, loss_moved = losses_along(place, [here, moved], untrained)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(values, valley, color="C0", label="loss on the training set")
arrow = {"arrowstyle": "-|>", "color": "C1", "linewidth": 2}
ax.annotate("", (moved, loss_moved), (here, loss_here), arrowprops=arrow)
ax.plot(here, loss_here, "o", color="C1", label="where the weight stands, and a step")
ax.set(xlabel="value of one weight, all others held still", ylabel="loss (0 is perfect)")
ax.set_title("The loss as one weight is changed")
ax.legend()
plt.show()

# %% [markdown]
# The loss forms a valley. At the dot, the slope of the curve says in which direction to go, and a step
# along the arrow lowers the loss.
#
# Training does this with all parameters at once, over and over. Take a small *batch* of images from the
# training set, find the slope for each parameter, and move every parameter a little downhill. How large
# the step is, compared with the slope, is the *learning rate*, and we choose it. One pass through all the
# training images is an *epoch*. The slopes are not measured one by one, since *backpropagation* finds
# them all in one sweep from the output back to the input, and chapter 6 takes it apart.
#
# The next cell holds the programs for this.


# %%
# Draws nothing: it holds the programs that train a network and count its wrong answers.
def training_step(x, y, network, learning_rate):
    """Move all parameters a little downhill for images x (n, 64) of digits y (n,); changes `network`."""
    weight1, bias1, weight2, bias2 = network
    activations, grad_scores = forward(x, network)  # (n, n_hidden), (n, 10)
    grad_scores[np.arange(len(y)), y] -= 1
    grad_scores /= len(y)
    grad_hidden = (grad_scores @ weight2) * (activations > 0)  # (n, 10) @ (10, n_hidden) -> (n, n_hidden)
    weight2 -= learning_rate * grad_scores.T @ activations  # (10, n) @ (n, n_hidden) -> (10, n_hidden)
    bias2 -= learning_rate * grad_scores.sum(axis=0)
    weight1 -= learning_rate * grad_hidden.T @ x  # (n_hidden, n) @ (n, 64) -> (n_hidden, 64)
    bias1 -= learning_rate * grad_hidden.sum(axis=0)


def answers(images, network):
    """The digit with the largest probability for each image, (n,)."""
    return forward(images, network)[1].argmax(axis=1)


def train_network(start, places, n_epochs, learning_rate, rng, batch_size=50):
    """Train a copy of `start` on the images at `places`.

    Returns the network, its wrong answers in percent after each epoch, on the training images and on the
    test set (n_epochs + 1, 2), and the share of images on which each hidden neuron is active (n_hidden,).
    """
    if n_epochs < 1 or batch_size < 1:
        raise ValueError(f"n_epochs is {n_epochs} and batch_size {batch_size}, but both must be at least 1")
    network = [part.copy() for part in start]
    errors = np.zeros((n_epochs + 1, 2))
    active = np.zeros((n_epochs, len(network[1])))
    for epoch in range(n_epochs + 1):
        for column, part in enumerate((places, test)):
            errors[epoch, column] = 100 * np.mean(answers(images[part], network) != labels[part])
        if epoch < n_epochs:
            shuffled = rng.permutation(places)
            for first in range(0, len(shuffled), batch_size):
                batch = shuffled[first : first + batch_size]
                training_step(images[batch], labels[batch], network, learning_rate)
            active[epoch] = (forward(images[places], network)[0] > 0).mean(axis=0)
    return network, errors, active.mean(axis=0)


def draw_errors(ax, errors, title):
    """The share of wrong answers on training images and on test images, epoch by epoch."""
    ax.plot(errors[:, 0], "--", color="C0", label="training images")
    ax.plot(errors[:, 1], color="C1", label="test images")
    ax.set(xlabel="epoch", ylim=(0, 100), title=title)


# %% [markdown]
# Now the network is trained three times from the same start, with a tiny, a moderate and a large learning
# rate. The figure counts wrong answers, on the training set and on the test set. A large step gets
# further than a small one, so one might expect the third to be ready first.

# %%
# Draws the share of wrong answers after each epoch of training, for three learning rates.
learning_rate = 0.2
n_epochs = 40
rates = {"tiny": learning_rate / 100, "moderate": learning_rate, "large": 15 * learning_rate}
runs = {name: train_network(untrained, train, n_epochs, rate, rng) for name, rate in rates.items()}
network, errors, active_share = runs["moderate"]

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
for ax, (name, rate) in zip(axes, rates.items()):
    draw_errors(ax, runs[name][1], f"learning rate {rate:g}")
axes[0].set_ylabel("wrong answers (%)")
axes[1].legend()
plt.show()

for name, rate in rates.items():
    last = runs[name][1][-1]
    print(f"learning rate {rate:<8g} wrong at the end: training {last[0]:5.1f} %   test {last[1]:5.1f} %")
all_silent = np.mean(forward(images[train], runs["large"][0])[0].max(axis=1) == 0)
print(f"with the large rate all hidden neurons end up silent on {100 * all_silent:.0f} % of the images")

# %% [markdown]
# In the middle panel both lines fall within a few epochs, and the network ends up reading nearly all
# digits that it was never trained on. On the left the steps are so small that after forty epochs it is
# still wrong on most digits. On the right the steps are so large that they overshoot, and the network
# ends up guessing: all its hidden neurons have fallen silent, on every image. So the learning rate has to
# be tried out. From here on we keep the network in the middle. (We chose it with the test line in view,
# so its test error is a little too good. Lesson 1.4 shows how to choose without that.)
#
# ## Learning by heart
#
# In the middle panel the training line ends a little below the test line. Is this gap always small? We
# train the same network once more, on only fifty of the training images. Both networks see equally many
# images in all, because the second one sees its fifty again and again.

# %%
# Draws the wrong answers of the network trained on many images and of one trained on few.
n_few = 50
few = train[:n_few]
few_epochs = n_epochs * len(train) // n_few  # so that it sees as many images in all
few_errors = train_network(untrained, few, few_epochs, learning_rate, rng)[1]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
draw_errors(left, errors, f"{len(train)} training images")
draw_errors(right, few_errors, f"{n_few} training images")
left.set_ylabel("wrong answers (%)")
right.legend()
plt.show()
print(f"wrong at the end with {n_few}: training {few_errors[-1, 0]:.1f} %, test {few_errors[-1, 1]:.1f} %")

# %% [markdown]
# On the right the training line reaches zero, and the test line stays far above it. This network knows
# its fifty images by heart, and part of what it learned holds for them only. That is called
# *overfitting*, and the gap between the two lines shows it. If you looked at the training line alone, you
# would prefer the wrong network.
#
# ## What the hidden neurons look for
#
# What did training do to the weights? In each column below is one hidden neuron, with its random weights
# above and its trained weights below. Nobody told a neuron what to look for.

# %%
# Draws the weights of every hidden neuron before and after training.
fig, axes = plt.subplots(2, n_hidden, figsize=(14, 3), layout="constrained")
for column, before, after, share in zip(axes.T, untrained[0], network[0], active_share):
    draw_pixels(column[0], before, limit=1.2)
    draw_pixels(column[1], after, limit=1.2)
    column[1].set_xlabel(f"{100 * share:.0f} %")
axes[0, 0].set_ylabel("before")
axes[1, 0].set_ylabel("after")
fig.suptitle("Weights of the hidden neurons (blue: for, red: against), and how often each was active")
plt.show()

# %% [markdown]
# Some neurons now look for a stroke in one place and against ink beside it, and others are harder to put
# into words. They were changed until the whole network worked, and nothing makes a single neuron easy to
# explain. But two of the twelve look nearly as they did before. Under each column stands how often the
# neuron was active during training, and for the unchanged ones the share is close to zero. Is that
# chance? We train three more networks from other random starts and count.

# %%
# Draws, for the hidden neurons of four networks, how often each was active and how far its weights moved.
shares = [active_share]
moves = [np.abs(network[0] - untrained[0]).mean(axis=1)]
for seed in (1, 2, 3):
    start = start_network(n_hidden, np.random.default_rng(seed))
    trained, _, share = train_network(start, train, n_epochs, learning_rate, np.random.default_rng(seed))
    shares.append(share)
    moves.append(np.abs(trained[0] - start[0]).mean(axis=1))
shares = np.concatenate(shares)  # (4 * n_hidden,)
moves = np.concatenate(moves)  # (4 * n_hidden,)
rare = shares < 0.1

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(100 * shares[~rare], moves[~rare], "o", color="C0", markerfacecolor="none", label="other neurons")
ax.plot(100 * shares[rare], moves[rare], "^", color="C1", label="active on fewer than one image in ten")
ax.set(xlabel="images on which the neuron was active (%)", ylabel="average change of its weights")
ax.set(ylim=(0, 1.2 * moves.max()), title="Hidden neurons of four networks")
ax.legend(loc="upper left")
plt.show()
print(f"{rare.sum()} of {len(rare)} neurons were active on fewer than one image in ten.")

# %% [markdown]
# The orange triangles lie at the bottom: a neuron that is hardly ever active is hardly ever changed.
# There is a reason for it: a silent neuron passes on zero, and a small change of its weights leaves that
# zero as it is. So the loss has no slope along these weights, and for this image they stay where they
# are. If it is silent on all images it can no longer learn, which is what happened to every neuron at the
# large learning rate.
#
# ## From a picture to an answer
#
# Here is the trained network at work on one picture, with its activations and its probabilities written
# out. On the left is the picture, in the middle are the activations, on the right the ten probabilities.
# A solid blue line speaks for a digit and a dashed red one against it, and thicker lines count more. Only
# the lines to the first and the second choice are drawn. The first picture is the seven that meant
# nothing to the untrained network, and the second is a digit that it gets wrong. Does it look as if
# something was broken there?


# %%
# Draws two digits on their way through the network, one read correctly and one misread.
def draw_flow(ax, which, network):
    """One digit, the activations, the ten probabilities, and the lines to the two likeliest digits."""
    activations, probabilities = forward(images[[which]], network)
    rows = np.linspace(4.2, 0.2, len(network[1]))  # (n_hidden,)
    columns = np.linspace(4.1, 0.3, 10)  # (10,)
    ax.imshow(images[which].reshape(8, 8), cmap="gray_r", extent=(-2.6, -0.6, 1.2, 3.2), vmin=0, vmax=1)
    for digit in np.argsort(probabilities[0])[-2:]:
        for neuron in np.flatnonzero(activations[0]):  # the silent ones add nothing
            push = activations[0, neuron] * network[2][digit, neuron]
            color, style = ("C0", "-") if push > 0 else ("C3", "--")
            ends = [rows[neuron], columns[digit]]
            ax.plot([1, 4], ends, style, color=color, linewidth=abs(push), zorder=0)
    circles = {"s": 300, "cmap": "viridis", "edgecolor": "0.3", "vmin": 0}
    ax.scatter(np.ones(len(rows)), rows, c=activations[0], vmax=8, **circles)
    ax.scatter(np.full(10, 4), columns, c=probabilities[0], vmax=1, **circles)
    for row, activation in zip(rows, activations[0]):
        ax.text(0.8, row, f"{activation:.1f}" if activation else "silent", ha="right", va="center")
    for digit, probability in enumerate(probabilities[0]):
        weight = "bold" if digit == probabilities[0].argmax() else "normal"
        ax.text(4.2, columns[digit], f"{digit}:  {100 * probability:.1f} %", va="center", weight=weight)
    for x, word in ((-1.6, "pixels"), (1, "activations"), (4, "probabilities")):
        ax.text(x, 4.5, word, ha="center")
    ax.set(xlim=(-2.8, 5.2), ylim=(-0.1, 4.7), aspect="auto")
    ax.axis("off")


sure = forward(images[test], network)[1].max(axis=1)  # (n_test,): the largest probability for each image
wrong = answers(images[test], network) != labels[test]  # (n_test,)
mistakes = test[wrong][np.argsort(-sure[wrong])]  # misread digits, the surest first
for which, words in ((seven, "read correctly"), (mistakes[0], "misread")):
    fig, ax = plt.subplots(figsize=(10, 5.6), layout="constrained")
    draw_flow(ax, which, network)
    ax.set_title(f"A {labels[which]}, {words}")
plt.show()

# %% [markdown]
# Nothing is broken in the second figure: the same weights, the same sums and the same softmax produce a
# wrong answer as smoothly as a right one, and with a high probability. So what is such a probability
# worth? Imagine that the network helps in an office: it settles the digits of which it is sure by itself,
# and a person reads the rest. We sort the test digits by their largest probability and count the mistakes.

# %%
# Draws how often the network is wrong when its probability is low, middle or high, and its surest mistakes.
edges = (0, 0.7, 0.95, 1)
groups = [(sure > low) & (sure <= high) for low, high in zip(edges[:-1], edges[1:])]
error_rates = [wrong[group].mean() for group in groups]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=[1, 1.5])
bars = left.bar(("below 70 %", "70 to 95 %", "above 95 %"), [100 * rate for rate in error_rates], color="C1")
left.bar_label(bars, [f"{wrong[group].sum()} of {group.sum()}" for group in groups])
left.margins(y=0.1)
left.set(xlabel="largest probability", ylabel="wrong answers (%)", title="Mistakes on the test set")
right.imshow(np.hstack([np.pad(images[which].reshape(8, 8), 1) for which in mistakes[:6]]), cmap="gray_r")
for column, which in enumerate(mistakes[:6]):
    probability = forward(images[[which]], network)[1][0]  # (10,)
    words = f"a {labels[which]}\nread {probability.argmax()}\n{100 * probability.max():.0f} %"
    right.text(10 * column + 4.5, 10.5, words, ha="center", va="top")
right.set(xticks=[], yticks=[], title="The mistakes it is surest of")
right.spines[:].set_visible(False)
plt.show()
print(
    f"Settled alone: {100 * groups[2].mean():.0f} % of the digits, {wrong[groups[2]].sum()} of them wrongly."
)

# %% [markdown]
# The probability is worth something. The network is nearly always right when it is above 95 %, which is
# the case for about three digits in four, and wrong far more often when it is below 70 %. (With five
# other deals of the digits it was wrong on one to three of about six hundred such digits.) For a postcode
# this would do. With X-rays the few sure mistakes are people who are sent home, and people, not the
# network, have to decide how many of those are acceptable. And the count holds for digits like these: for
# pictures of another kind the probability promises nothing (1.1).
#
# ## The words of this lesson
#
# | in the pictures | its name | in this network |
# | --- | --- | --- |
# | the weather, the ink | inputs | 64 pixels |
# | what speaks for and against | weights | 12 × 64 and 10 × 12 numbers |
# | the opinion beforehand | bias | one number for each neuron |
# | silent below zero | activation function, here ReLU | in the hidden layer |
# | what a neuron passes on | activation | 12 numbers for each picture |
# | all that can be changed | parameters | all weights and biases |
# | how wrong it is | loss | one number |
# | how large a step | learning rate | 0.2 |
# | learned by heart | overfitting | the network with fifty images |
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
# Draws nothing: it checks what the lesson says.
assert totals[zero] < 0 < totals[one], "the neuron is silent for the zero and active for the one"
best_temperature = temperature[comfort["silent below zero"].argmax()]
assert best_temperature == 30, "with ReLU the recommendation rises up to 30 degrees and falls beyond"
assert np.allclose(np.diff(comfort["never silent"]), -1), "without ReLU it falls everywhere (by 2 per degree)"
assert untrained_best < 0.4, "before training no digit gets much of the probability"
assert valley.min() < min(valley[0], valley[-1]), "the loss forms a valley along one weight"
assert loss_moved < loss_here, "a step against the slope lowers the loss"
assert errors[0, 1] > 75, "before training the network guesses"
assert errors[-1, 1] < 8, "after training it reads more than nine in ten test digits"
assert runs["tiny"][1][-1, 1] > 50, "with a tiny learning rate it is still wrong on most digits"
assert runs["large"][1][-1, 1] > 80, "with a large learning rate it ends up guessing"
assert all_silent == 1, "at the large learning rate all hidden neurons have fallen silent, on every image"
assert few_errors[-1, 0] == 0, "fifty images are learned by heart"
assert few_errors[-1, 1] > 2 * errors[-1, 1], "on fifty images it overfits: the test error is far larger"
assert np.sum(rare[:n_hidden]) == 2, "two of the twelve hidden neurons were hardly ever active"
assert rare.sum() > 0, "some hidden neurons are hardly ever active"
assert moves[rare].max() < np.median(moves[~rare]) / 3, "and those hardly changed"
assert answers(images[[seven]], network)[0] == 7, "the trained network reads the seven"
assert sure[wrong].max() > 0.8, "one wrong answer has a high probability"
assert groups[2].mean() > 0.7, "about three digits in four have a probability above 95 %"
assert error_rates[2] < 0.01, "and of those hardly one in a hundred is wrong"
assert error_rates[0] > 10 * error_rates[2], "below 70 % it is wrong far more often"

# %% [markdown]
# ## What to remember
#
# - A neuron multiplies its inputs by weights, adds them up with its bias, and is silent below zero.
# - A layer is many neurons with the same inputs. The next layer sees their activations only.
# - Training moves all parameters a little in the direction in which the loss falls, again and again. The
#   learning rate says how far, and it can be too small or too large.
# - A network that is good on its training set and much worse on the test set has overfitted.
# - An answer with a high probability is usually right, but not always, and only for pictures of the kind
#   that the network was trained on.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In the cell that draws what two neurons pass on at each temperature, change `hot_weight = -3` to
#    `hot_weight = -1`. What will the orange line do above 30 degrees, in the left panel and in the right
#    one?
# 2. In the cell that draws an untrained network, change `n_hidden = 12` to `n_hidden = 2`. With two
#    activations the output layer has two numbers to tell ten digits apart. How many answers in a hundred
#    will be wrong after training? Look at the figure with the three learning rates.
# 3. In the cell that draws the wrong answers with many images and with few, change `n_few = 50` to
#    `n_few = 200`. Will the training line still reach zero, and what will become of the gap?
#
# ## Sources
#
# - F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the
#   brain", _Psychological Review_ 65, 1958: a neuron that learns its weights.
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
#   _Nature_ 323, 1986: hidden neurons find out for themselves what to look for.
# - E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository,
#   1998: the digits.
