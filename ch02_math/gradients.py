# %% [markdown]
# # 2.4 Gradients: an arrow on the loss map
#
# How heavy is a penguin whose flipper is 21 cm long? A straight line can guess it as soon as two numbers
# are chosen, the slope $w$ of the line and its height $b$. Every choice makes some error on the birds
# that we have measured, and this error is the loss: one number that says how wrong the line is. Now
# picture a hiking map on which each point is one choice of $(w, b)$ and the height of the ground is the
# loss. We stand somewhere on this map in thick fog. Which way is down?
#
# The *gradient* answers this question by measurements at the one point where we stand: it is an arrow,
# made of slopes, that points in the direction in which the loss rises fastest. Almost every neural
# network in use, from spam filters to chat assistants, was trained by computing this arrow again and
# again, with millions of numbers instead of two, and by taking a small step against it each time.
#
# **You will build** the gradient of a function of several numbers, first measured and then by formula,
# and you will test what makes it special among all directions. **You need** dot products (2.1), the mean
# squared error (2.2) and derivatives with the chain rule (2.3).

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
# We count flippers from 19 cm, because otherwise $b$ would be the mass of a bird without flippers. So the
# bird of 21 cm has $x = 2$, and let its mass be $y = 5$ kg. Our line is $\hat y = w x + b$ with $w = 1$
# and $b = 1$. The loss of this one bird is its squared error:
#
# $$\begin{aligned}
#   \text{prediction} \quad \hat y &= w x + b = 1 \cdot 2 + 1 = 3 \\
#   \text{error} \quad e &= \hat y - y = 3 - 5 = -2 \\
#   \text{loss} \quad L &= e^2 = 4
# \end{aligned}$$
#
# How does $L$ change when we change $w$ a little and hold $b$ still? By the chain rule (2.3) the rates
# multiply: $e^2$ changes $2e$ times as fast as $e$, and $e$ changes $x$ times as fast as $w$. If we
# change $b$ instead and hold $w$ still, $e$ changes exactly as fast as $b$.
#
# $$\begin{aligned}
#   \frac{\partial L}{\partial w} &= 2e \cdot x = 2 \cdot (-2) \cdot 2 = -8 \\
#   \frac{\partial L}{\partial b} &= 2e \cdot 1 = 2 \cdot (-2) \cdot 1 = -4
# \end{aligned}$$
#
# Each of these is a *partial derivative*: the slope along one number while all the others are held still.
# It is written with a round $\partial$ instead of $d$. The vector of all partial derivatives is the
# gradient, written $\nabla L$ (say "nabla L"):
#
# $$\nabla L = \left(\frac{\partial L}{\partial w}, \frac{\partial L}{\partial b}\right) = (-8, -4) .$$
#
# Both entries are negative, so raising $w$ lowers the loss, and so does raising $b$; a change of $w$ has
# twice the effect. The functions below measure the same two slopes. They move one number at a time, a
# little up and a little down, and divide the change of the loss by the change of the number, which is a
# central difference (2.3).


# %%
def partial(f, point, axis, h=1e-5):
    """Slope of f at `point` (n,) along one axis, the others held still: a central difference (2.3)."""
    step = np.zeros(len(point))
    step[axis] = h
    return (f(point + step) - f(point - step)) / (2 * h)


def gradient(f, point):
    """Gradient of f at `point` (n,): its n partial derivatives (n,). f maps an array (n,) to a number."""
    point = np.asarray(point, dtype=float)
    return np.array([partial(f, point, axis) for axis in range(len(point))])


def one_bird_loss(parameters):
    """Squared error of the line w·x + b for one bird with x = 2 and y = 5."""
    w, b = parameters
    error = w * 2 + b - 5
    return error * error


measured = gradient(one_bird_loss, [1, 1])
print(f"on paper [-8 -4], measured {measured.round(6)}")
np.testing.assert_allclose(measured, [-8, -4], rtol=1e-8)

# %% [markdown]
# ## The loss map
#
# Now we take all the penguins, and the loss of a line is the average of the birds' squared errors, the
# mean squared error (2.2). As above, $b$ is the guess for a bird whose flipper is 19 cm long, and $w$ is
# how many kilograms we add for each further centimetre.

# %%
COLUMNS = ("flipper_length_mm", "body_mass_g")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

with open(HERE / "data" / "penguins.csv", encoding="utf-8") as file:
    birds = [row for row in csv.DictReader(file) if row["species"] in SPECIES]
birds = [row for row in birds if "NA" not in [row[name] for name in COLUMNS]]
measurements = np.array([[float(row[name]) for name in COLUMNS] for row in birds])  # (n, len(COLUMNS))

flipper = measurements[:, 0] / 10 - 19  # (n,): centimetres beyond 19
mass = measurements[:, 1] / 1000  # (n,): kilograms

# %% [markdown]
# The data are fixed from here on, and what we may still change are $w$ and $b$, the parameters of the
# line. So the loss becomes a function of two numbers, and we can draw its map: compute it at every point
# of a grid, and join points of equal loss by *contours*, as a hiking map joins points of equal height.


# %%
def loss(parameters, x, y):
    """Mean squared error of the line w·x + b on x, y (n,); parameters: (w, b)."""
    w, b = parameters
    return np.mean((w * x + b - y) ** 2)


def penguin_loss(parameters):
    """The loss on our penguins as a function of (w, b) alone: the height of the map at that point."""
    return loss(parameters, flipper, mass)


ws = np.linspace(-1, 2, 61)  # (61,)
bs = np.linspace(2.5, 5.5, 71)  # (71,)
heights = np.array([[penguin_loss((w, b)) for w in ws] for b in bs])  # (71, 61): one row for each b


def draw_map(ax):
    """Contours of the loss over (w, b); both axes have one scale, so that right angles look right."""
    contours = ax.contour(ws, bs, heights, levels=np.arange(0.25, 8, 0.5), cmap="viridis")
    ax.set(xlabel="w (kg per cm)", ylabel="b (kg)", aspect="equal")
    return contours


# %% [markdown]
# Here are three choices of $(w, b)$, drawn twice: as lines among the birds and as points on the map.
# Before you run the cell, rank them. Which line has the smallest loss?

# %%
guess = np.array([0.0, 4.5])  # "every bird weighs 4.5 kg"
choices = {"guess": guess, "too steep": np.array([1.0, 3.0]), "by eye": np.array([0.5, 3.7])}
for name, choice in choices.items():
    print(f"{name:20s}w {choice[0]:4.1f}   b {choice[1]:4.1f}   loss {penguin_loss(choice):6.3f} kg²")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(flipper, mass, "o", color="C0", markersize=3, label="birds")
contours = draw_map(right)
fig.colorbar(contours, ax=right, label="loss (kg²)")
for (name, choice), marker, style in zip(choices.items(), "o^s", ("-", "--", "-.")):
    w, b = choice
    left.axline((0, b), slope=w, color="C1", linestyle=style, label=name)
    right.plot(w, b, marker, color="C1", markersize=9, label=name)
left.set(xlabel="flipper beyond 19 cm (cm)", ylabel="mass (kg)", title="A line among the birds…")
left.legend()
right.set_title("…is a point on the loss map")
right.legend(loc="upper right", fontsize=8)
plt.show()

# %% [markdown]
# Each marker on the right is one line on the left. The line by eye lies inside the innermost contour,
# where the loss is smallest. The other two lie higher, on opposite sides, and although they look very
# different among the birds they are almost equally wrong. Where the contours are close together the
# ground is steep. The map shows a long valley from the top left to the bottom right. The reason is that
# most flippers are longer than 19 cm, so that for most birds a rise of $w$ and a fall of $b$ partly
# cancel, and the loss changes little.
#
# ## One parameter at a time
#
# Stand at the guess, the circle on the map. Suppose that you may change only one of the two parameters.
# Would you raise or lower $w$? And if it were $b$? Look once more at the flat line among the birds and
# decide. Then we measure both partial derivatives, and walk along each axis to see the loss on the way.

# %%
slope_w, slope_b = gradient(penguin_loss, guess)
print(f"at the guess: slope along w {slope_w:.3f}, slope along b {slope_b:.3f}")

reach = np.linspace(-0.7, 0.7, 71)  # (71,): how far we walk in either direction
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw_map(left)
for axis, (name, slope, style) in enumerate((("w", slope_w, "-"), ("b", slope_b, "--"))):
    walk = np.tile(guess, (71, 1))  # (71, 2): the guess, 71 times
    walk[:, axis] += reach
    losses = np.array([penguin_loss(point) for point in walk])  # (71,)
    left.plot(walk[:, 0], walk[:, 1], style, color=f"C{axis}", linewidth=2, label=f"only {name} changes")
    right.plot(reach, losses, style, color=f"C{axis}", label=f"only {name} changes")
    near = reach[20:51]  # (31,)
    right.plot(near, penguin_loss(guess) + slope * near, color="0.2", linewidth=0.8)
left.plot(*guess, "o", color="black")
left.set_title("Two straight walks through one point")
left.legend(loc="upper right", fontsize=8)
right.plot(0, penguin_loss(guess), "o", color="black")
right.set(xlabel="change of the parameter", ylabel="loss (kg²)")
right.set_title("A partial derivative is the slope of a walk")
right.legend()
plt.show()

# %% [markdown]
# On the right, follow each curve through the dot from left to right. The loss falls when $w$ grows, so
# $\partial L / \partial w$ is negative and we should raise $w$. That makes sense: the flat line is too
# low for the large birds and too high for the small ones. The loss rises when $b$ grows, so
# $\partial L / \partial b$ is positive and we should lower $b$. The thin black lines have the measured
# slopes, and they touch the curves at the dot.
#
# ## The gradient by formula
#
# To measure a gradient we evaluate the loss twice for each parameter. A network with a million parameters
# would need two million evaluations for a single step. A formula gives all partial derivatives at once
# (lesson 6.1 finds it for networks), and for one bird we have it already, from the paper example:
# $2 e_i \cdot (x_i, 1)$. The loss is the average over the birds, and slopes of a sum add up (2.3), so the
# gradient of the average is the average of the gradients:
#
# $$\nabla L = \frac1n \sum_{i=1}^{n} 2\, e_i\, (x_i, 1), \qquad e_i = w x_i + b - y_i .$$


# %%
def bird_gradients(parameters, x, y):
    """Gradient of each bird's own squared error: (n, 2), its slopes along w and along b."""
    w, b = parameters
    error = w * x + b - y  # (n,)
    return 2 * np.stack([error * x, error], axis=1)  # two (n,) -> (n, 2)


gradient_at_guess = bird_gradients(guess, flipper, mass).mean(axis=0)  # (n, 2) -> (2,)
measured = gradient(penguin_loss, guess)  # (2,)
print(f"gradient at the guess: by formula {gradient_at_guess.round(6)}, measured {measured.round(6)}")
np.testing.assert_allclose(gradient_at_guess, measured, rtol=1e-8)

# %% [markdown]
# ## A step in any direction
#
# So far we can walk along $w$ or along $b$. What about the directions in between? At a close look a
# smooth curve, one without corners and jumps, is a straight line (2.3), and in the same way smooth ground
# is nearly flat, like a tilted board. There a step $(s_w, s_b)$ can be taken in two parts, and each
# changes the height by its slope times its length: the first, along $w$, by
# $\frac{\partial L}{\partial w} s_w$, and the second, along $b$, by $\frac{\partial L}{\partial b} s_b$.
# The sum of two products is a dot product (2.1). For a direction $d$ of length one it is the slope in
# that direction, the *directional derivative*:
#
# $$D_d L = \frac{\partial L}{\partial w} d_w + \frac{\partial L}{\partial b} d_b = \nabla L \cdot d .$$
#
# We check it with a function that measures the slope in a direction without using the gradient.


# %%
def directional(f, point, direction, h=1e-5):
    """Slope of f at `point` (n,) along `direction` (n,), of any length but zero (ValueError)."""
    length = np.linalg.norm(direction)
    if length == 0:
        raise ValueError("an arrow of length zero has no direction")
    step = h * np.asarray(direction) / length  # (n,)
    return (f(point + step) - f(point - step)) / (2 * h)


print(f"{'direction (w, b)':20s}{'measured':>12s}{'dot product':>12s}")
for direction in ([1, 0], [0, 1], [1, 1], [3, -4]):
    unit = np.array(direction) / np.linalg.norm(direction)  # (2,)
    measured = directional(penguin_loss, guess, direction)
    predicted = gradient_at_guess @ unit  # (2,) @ (2,) -> ()
    print(f"{str(direction):20s}{measured:12.6f}{predicted:12.6f}")
    np.testing.assert_allclose(measured, predicted, rtol=1e-7)

# %% [markdown]
# The two columns agree, so two slopes, those along the axes, are enough to know the slope in every
# direction.
#
# ## Which direction is the steepest?
#
# At the guess we measure the slopes in 360 directions, one for each degree. In which of them does the
# loss fall fastest? You might expect the direction of the lowest point of the map, or plain $w$, whose
# slope is the larger of the two. (For a line NumPy finds the lowest point by a formula. For a network
# there is no such formula, which is why the gradient is needed.)

# %%
degrees = np.arange(360)  # (360,)
radians = np.radians(degrees)  # (360,)
directions = np.stack([np.cos(radians), np.sin(radians)], axis=1)  # (360, 2): one for each degree
slopes = np.array([directional(penguin_loss, guess, direction) for direction in directions])  # (360,)


def angle_of(vector):
    """Angle of a vector (2,) in degrees, from 0 to 360, counted from the w axis towards the b axis."""
    return np.degrees(np.arctan2(vector[1], vector[0])) % 360


downhill = -gradient_at_guess  # (2,)
lowest = np.polyfit(flipper, mass, 1)  # (2,): the best line (w, b)
print(f"the loss falls fastest at {degrees[slopes.argmin()]}°, with slope {slopes.min():.4f}")
print(f"the loss rises fastest at {degrees[slopes.argmax()]}°, with slope {slopes.max():.4f}")
steepness = np.linalg.norm(gradient_at_guess)
print(f"gradient: angle {angle_of(gradient_at_guess):.1f}°, length {steepness:.4f}")
print(f"the lowest point is at {angle_of(lowest - guess):.1f}°")

# %% [markdown]
# The loss falls fastest neither along an axis nor towards the lowest point. To the nearest degree the
# steepest way up is in the direction of the gradient, and the steepest way down is in the opposite
# direction. The slope downhill is the length of the gradient with a minus sign. The reason is the dot
# product (2.1). With the angle $\theta$ between $\nabla L$ and a direction $d$ of length one,
#
# $$D_d L = \nabla L \cdot d = \lVert \nabla L \rVert \cos\theta ,$$
#
# and a cosine is $1$ at the angle $0$, $-1$ at 180° and $0$ at a right angle. We draw this formula beside
# the measured slopes, and on the map the reversed gradient, $-\nabla L$, at half its length.

# %%
theta = np.radians(degrees - angle_of(gradient_at_guess))  # (360,)
by_cosine = steepness * np.cos(theta)  # (360,)
np.testing.assert_allclose(slopes, by_cosine, atol=1e-7)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw_map(left)
left.plot(*np.array([guess, lowest]).T, ":", color="0.2", label="way to the lowest point")
left.quiver(*guess, *downhill, color="C1", angles="xy", scale_units="xy", scale=2, width=0.012, zorder=3)
left.plot([], [], color="C1", linewidth=3, label="−∇L")  # a line for the legend, which draws no arrows
left.plot(*guess, "o", color="black")
left.set_title("−∇L crosses the contour at a right angle")
left.legend(loc="upper right", fontsize=8)
right.plot(degrees, slopes, label="measured slope")
right.plot(degrees[::15], by_cosine[::15], "o", color="C0", markersize=4, label="‖∇L‖ cos θ")
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.axvline(angle_of(gradient_at_guess), color="C1", linestyle="--", label="direction of ∇L")
right.axvline(angle_of(downhill), color="C1", label="direction of −∇L")
right.axvline(angle_of(lowest - guess), color="0.2", linestyle=":", label="way to the lowest point")
right.set(xlabel="direction (degrees from the w axis)", ylabel="slope", xticks=range(0, 361, 90))
right.set_ylim(top=1.8 * slopes.max())
right.set_title("The loss falls fastest along −∇L")
right.legend(loc="upper center", fontsize=8, ncols=2)
plt.show()

# %% [markdown]
# The dots lie on the curve. The curve has its top in the direction of $\nabla L$ and its bottom in that
# of $-\nabla L$. The direction of the map's lowest point is another one: the dotted line stands more than
# 30° beside the bottom of the curve. At a right angle to the gradient the slope is zero, so the loss
# stays the same. That is the direction of the contour, and this is why the arrow on the left crosses the
# contours at right angles.
#
# The gradient does not point at the lowest point of the valley, and it does not say how far to go: a few
# steps on we have to measure again. It also depends on the units. Had we measured flippers in
# millimetres, the map would be stretched, and the arrow would point another way.
#
# That was one point. Is it the same elsewhere? We visit fifty random points of the map and compare the
# steepest of 360 directions with the gradient's.

# %%
gaps = []
for point in rng.uniform([-1, 2.5], [2, 5.5], size=(50, 2)):
    slopes_here = [directional(penguin_loss, point, direction) for direction in directions]
    steepest = directions[np.argmax(slopes_here)]  # (2,)
    gradient_here = gradient(penguin_loss, point)  # (2,)
    cosine = steepest @ gradient_here / np.linalg.norm(gradient_here)  # (2,) @ (2,) -> ()
    gaps.append(np.degrees(np.arccos(min(cosine, 1.0))))  # rounding can carry a cosine past 1
print(f"largest angle between the steepest direction and the gradient: {max(gaps):.2f}°")
assert len(gaps) == 50 and max(gaps) <= 0.51

# %% [markdown]
# At all fifty points the two agree to the nearest degree.
#
# ## Arrows all over the map
#
# Now draw $-\nabla L$ at many points. Where do you expect long arrows, where short ones, and what happens
# at the lowest point?

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
contours = draw_map(ax)
fig.colorbar(contours, ax=ax, label="loss (kg²)")
coarse_ws = np.linspace(-0.85, 1.85, 10)  # (10,)
coarse_bs = np.linspace(2.65, 5.35, 10)  # (10,)
points = np.array([(w, b) for w in coarse_ws for b in coarse_bs])  # (100, 2)
steps = np.array([-gradient(penguin_loss, point) for point in points])  # (100, 2)
ax.quiver(points[:, 0], points[:, 1], steps[:, 0], steps[:, 1], angles="xy", scale_units="xy", scale=40)
ax.plot(*lowest, "*", color="C1", markersize=12, label="lowest point")
ax.set_title("Downhill arrows lead into the valley")
ax.legend(loc="upper right", fontsize=8)
plt.show()
at_the_lowest = gradient(penguin_loss, lowest).round(6) + 0.0  # (2,); adding 0.0 turns −0 into 0
print(f"gradient at the lowest point: {at_the_lowest}")

# %% [markdown]
# Every arrow crosses its contour at a right angle. The arrows are long on the steep sides, where the
# contours are close together, and short along the floor of the valley. At the star the gradient is zero:
# the ground is level, and no direction leads down. Most arrows point at the floor of the valley rather
# than at the star, so a walk that follows them first drops into the valley and then creeps along it. That
# walk is the subject of lesson 2.5.
#
# Nothing here needed a valley of this shape, or only two parameters. At a close look any smooth function
# is nearly flat, and then the partial derivatives give the slope in every direction.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
other_losses = penguin_loss(guess), penguin_loss(choices["too steep"])
assert penguin_loss(choices["by eye"]) < min(other_losses), "the line by eye has the smallest loss"
assert max(other_losses) < 1.15 * min(other_losses), "the flat and the steep line are almost equally wrong"
assert np.mean(flipper > 0) > 0.6, "most flippers are longer than 19 cm"
assert slope_w < 0 < slope_b, "at the guess, w should be raised and b lowered"
angle_missed = abs(degrees[slopes.argmin()] - angle_of(downhill))  # near 360 and near 0 is the same
assert min(angle_missed, 360 - angle_missed) <= 0.51, "the loss falls fastest along −∇L"
assert abs(angle_of(downhill) - angle_of(lowest - guess)) > 30, "−∇L does not point at the lowest point"
along_contour = np.array([-downhill[1], downhill[0]])  # (2,): −∇L turned by 90 degrees
assert abs(directional(penguin_loss, guess, along_contour)) < 1e-7, "along the contour the slope is zero"
assert np.abs(gradient(penguin_loss, lowest)).max() < 1e-6, "at the lowest point the gradient is zero"
on_the_side = np.linalg.norm(gradient(penguin_loss, [1.2, 4.4]))
on_the_floor = np.linalg.norm(gradient(penguin_loss, [0.2, 4.4]))
assert on_the_side > 5 * on_the_floor, "arrows are long on the steep side, short on the floor of the valley"

# %% [markdown]
# ## Going further
#
# This can be skipped at first. It shows what a gradient measured on a part of the data is worth, which
# lessons 3.3 and 7.1 need.
#
# ### A few birds instead of all
#
# The gradient is an average over all birds. Do we need every bird before each step? A random sample of
# them, a batch (1.2), gives an estimate. The birds disagree a lot, so one might expect little of a small
# batch. We draw many batches and count how often the estimate points the wrong way: its dot product with
# the full gradient is negative, so a small step against it would raise the loss.

# %%
gradient_per_bird = bird_gradients(guess, flipper, mass)  # (n, 2)
wrong_way = {}
print(f"{'batch size':20s}{'wrong way':>12s}")
for batch_size in (1, 4, 16, 64):
    batches = [rng.choice(len(mass), size=batch_size, replace=False) for _ in range(500)]
    estimates = np.array([gradient_per_bird[batch].mean(axis=0) for batch in batches])  # (500, 2)
    wrong_way[batch_size] = np.mean(estimates @ gradient_at_guess < 0)  # (500, 2) @ (2,) -> (500,)
    print(f"{batch_size:<20d}{wrong_way[batch_size]:12.1%}")

# %% [markdown]
# About a quarter of the single birds point the wrong way, and hardly any batch of 16 does. To see why, we
# draw the gradients of single birds and of some batches as arrows from one point.

# %%
batches = [rng.choice(len(mass), size=16, replace=False) for _ in range(20)]
estimates = np.array([gradient_per_bird[batch].mean(axis=0) for batch in batches])  # (20, 2)
origin = {"angles": "xy", "scale_units": "xy", "scale": 1, "zorder": 3}  # arrows to scale
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for vectors, color, width, label in (
    (gradient_per_bird[::6], "0.8", 0.003, "single birds"),
    (estimates, "C0", 0.005, "batches of 16"),
    (gradient_at_guess[None], "C1", 0.012, "all birds"),
):
    zeros = np.zeros(len(vectors))
    ax.quiver(zeros, zeros, vectors[:, 0], vectors[:, 1], **origin, color=color, width=width, label=label)
ax.set(xlabel="slope along w", ylabel="slope along b", xlim=(-13, 4), ylim=(-4, 4))
ax.set_title("Single birds disagree, batches mostly agree")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# The gradients of single birds point in very different directions, and some in opposite ones. In an
# average, errors in different directions cancel, so the batches gather around the arrow of all birds.
# This is why a network can be trained with one small batch after another. But we have looked at one point
# only, far from the best line. At the lowest point the full gradient is zero, and there the direction of
# a batch is chance.

# %%
assert 0.15 < wrong_way[1] < 0.35, "about a quarter of the single birds point the wrong way"
assert wrong_way[1] > wrong_way[4] > wrong_way[16], "larger batches err less often"
assert wrong_way[16] < 0.01, "hardly any batch of 16 points the wrong way"

# %% [markdown]
# ## What to remember
#
# - A partial derivative is the slope along one parameter while the others are held still. The gradient is
#   the vector of all partial derivatives.
# - The slope in any direction is the dot product of the gradient with that direction.
# - So the loss rises fastest along $\nabla L$ and falls fastest along $-\nabla L$, and the gradient
#   stands at a right angle to the contour. It tells about this point only, not where the lowest point is.
# - The gradient of an average is the average of the gradients, so a batch gives an estimate of it.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Move the guess: set `guess = np.array([1.0, 3.0])`, where the triangle was. Which signs will the two
#    slopes have, and which way will $-\nabla L$ point? Look at the printed slopes and at the third
#    figure.
# 2. Count the flippers from their mean:
#    `flipper = (measurements[:, 0] - measurements[:, 0].mean()) / 10`. How does the valley change, and
#    how well does $-\nabla L$ now point at the lowest point? Look at the third figure, and say why.
# 3. In a blank cell at the end: start at `guess`, take twenty steps `point = point - 0.1 * gradient(…)`,
#    and draw all the points on the map with `draw_map`. Compare the last point with `lowest`. Where does
#    the path bend?
#
# ## Sources
#
# - I. Goodfellow, Y. Bengio, A. Courville, _Deep Learning_, 2016, section 4.3: gradient and directional
#   derivative. Reproduced: "the loss falls fastest along −∇L".
# - A. M. Horst, A. P. Hill, K. B. Gorman, _palmerpenguins_, 2020: the data.
