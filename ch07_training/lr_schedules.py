# %% [markdown]
# # 7.3 Learning-rate schedules: fast on the road, slow into the garage
#
# Nobody parks a car at the speed of a motorway, and nobody drives there at the speed of parking. A
# training run has the same two wishes: long steps while the goal is far, short ones when it is near. A
# *schedule* gives the learning rate as a function of the step.
#
# **You will build** a test that finds the usable rates, six schedules as plain functions, each equal to
# its scheduler in PyTorch, and a fair comparison of all. **You need** the noise of mini-batches (7.1) and
# momentum and Adam (7.2).

# %%
import math
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Take the bowl $\frac12 w^2$ and a gradient with noise of variance one. A step gives $w \leftarrow (1 -
# \eta) w - \eta\, \text{noise}$, so the variance of $w$ goes to $(1-\eta)^2\, \text{variance} + \eta^2$.
# It comes to rest where both sides are equal:
#
# $$\text{variance} = \frac{\eta^2}{1 - (1 - \eta)^2} = \frac{\eta}{2 - \eta} .$$
#
# With $\eta = \frac12$ that is $\frac13$, with $\eta = 0.02$ about $0.01$. A constant rate never arrives:
# it hovers at a height set by the rate. A tiny rate hovers low, and takes for ever to get there.


# %%
def noisy_descent(rates, rng, n_walkers=4000, start=10.0):
    """Mean of w²/2 before each step and after the last, over walkers in a noisy bowl: (len(rates) + 1,)."""
    w, heights = np.full(n_walkers, start), []
    for lr in rates:
        heights.append(np.mean(w * w) / 2)
        w = w - lr * (w + rng.normal(size=n_walkers))
    return np.array([*heights, np.mean(w * w) / 2])


n_steps = 300
walks = {
    "constant 0.5": np.full(n_steps, 0.5),
    "constant 0.02": np.full(n_steps, 0.02),
    "from 0.5 down": 0.5 / (1 + 0.5 * np.arange(n_steps)),
}
heights = {name: noisy_descent(rates, rng) for name, rates in walks.items()}
for name, height in heights.items():
    print(f"{name:16s}after 10 steps {height[10]:8.4f}   at the end {height[-1]:8.4f}")
assert abs(heights["constant 0.5"][-1] - 1 / 6) < 4 * (1 / 6) * math.sqrt(2 / 4000)
assert heights["from 0.5 down"][-1] < 0.5 * heights["constant 0.02"][-1]
assert heights["from 0.5 down"][10] < 0.05 * heights["constant 0.02"][10]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for (name, rates), style in zip(walks.items(), ("-", "--", "-.")):
    left.semilogy(rates, style, label=name)
    right.semilogy(heights[name], style, label=name)
left.set(xlabel="step", ylabel="learning rate", title="Two rates stay, one falls")
right.set(
    xlabel="step", ylabel="mean loss above the bottom", title="A constant rate hovers, a falling one lands"
)
right.legend()
plt.show()

# %% [markdown]
# ## Six schedules
#
# Each is a function of the step, starting from 0, and of a rate `lr`. *Step decay* cuts the rate now and
# then, *exponential* decay a little at every step. *Cosine annealing* leaves the peak slowly and reaches
# the bottom slowly, and *warm restarts* start it over. In the formulas $\lfloor t / k \rfloor$ is $t / k$
# rounded down, and $T$ the step at which the cosine has arrived.
#
# $$\eta_t = \eta\, \gamma^{\lfloor t / k \rfloor}, \qquad \eta_t = \eta\, \gamma^t, \qquad
#   \eta_t = \eta_\text{low} + \tfrac12 (\eta - \eta_\text{low}) \left(1 + \cos \frac{\pi t}{T}\right)$$


# %%
def step_decay(step, lr, every, gamma=0.1):
    """lr times gamma for each full `every` steps."""
    return lr * gamma ** (step // every)


def exponential(step, lr, gamma):
    """lr times gamma at every step."""
    return lr * gamma**step


def cosine(step, lr, n_steps, lowest=0.0):
    """From lr to lowest in n_steps along half a cosine, and up again after; Loshchilov and Hutter 2017."""
    return lowest + (lr - lowest) * (1 + math.cos(math.pi * step / n_steps)) / 2


def warm_restarts(step, lr, period, growth=1, lowest=0.0):
    """Cosine over `period` steps, then from the top again with a period `growth` times as long."""
    while step >= period:
        step, period = step - period, period * growth
    return cosine(step, lr, period, lowest)


# %% [markdown]
# *Warm-up* climbs in a straight line at the start and then holds. It is meant to be followed by
# something, so we add a way to put two schedules in a row. *One-cycle* is such a row: up along half a
# cosine, then down along another, far below where it began.


# %%
def linear_warmup(step, lr, n_warmup, start=0.01):
    """From start·lr to lr in n_warmup steps, then lr."""
    return lr * (start + (1 - start) * min(step / n_warmup, 1.0))


def in_a_row(first, second, at):
    """The schedule that is first(step) before step `at`, and second(step - at) from there."""
    return lambda step: first(step) if step < at else second(step - at)


def one_cycle(step, lr, n_steps, rise=0.3, start=1 / 25, end=1 / 25e4):
    """From start·lr up to lr during the share `rise`, then down to end·lr at the last of n_steps; Smith 2018.

    Raises ValueError beyond the last step, n_steps - 1.
    """
    if not 0 <= step < n_steps:
        raise ValueError(f"step {step} of a cycle with {n_steps} steps")
    top = rise * n_steps - 1
    if step <= top:
        return cosine(step, start * lr, top, lowest=lr)  # "lowest" is where the cosine ends
    return cosine(step - top, lr, n_steps - 1 - top, lowest=end * lr)


# %% [markdown]
# All of them on one horizon, and the numbers that one can check by hand: a cosine is at half height in
# the middle, one-cycle reaches its peak where `rise` says.

# %%
horizon = 300
warm_cosine = in_a_row(
    partial(linear_warmup, lr=1.0, n_warmup=30), partial(cosine, lr=1.0, n_steps=horizon - 30), at=30
)
schedules = {
    "constant": lambda step: 1.0,
    "step decay": partial(step_decay, lr=1.0, every=horizon // 3),
    "exponential": partial(exponential, lr=1.0, gamma=0.01 ** (1 / horizon)),
    "cosine": partial(cosine, lr=1.0, n_steps=horizon),
    "warm restarts": partial(warm_restarts, lr=1.0, period=horizon // 3),
    "warm-up, cosine": warm_cosine,
    "one-cycle": partial(one_cycle, lr=1.0, n_steps=horizon),
}
assert abs(schedules["cosine"](horizon // 2) - 0.5) < 1e-12
assert schedules["warm restarts"](horizon // 3) == 1.0
assert max(range(horizon), key=schedules["one-cycle"]) == round(0.3 * horizon) - 1

fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
for ax, (name, schedule) in zip(axs.flat, list(schedules.items())[1:]):
    ax.plot([schedule(step) for step in range(horizon)], color="C1")
    ax.set_title(name)
for ax in axs[1]:
    ax.set_xlabel("step")
for ax in axs[:, 0]:
    ax.set_ylabel("rate / peak")
fig.suptitle("All end low, and the one that restarts ends low three times")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# A scheduler in PyTorch holds an optimizer and changes its rate at every `scheduler.step()`, which comes
# after `optimizer.step()`. We let each run to its horizon beside our function. `SequentialLR` is our
# `in_a_row`.

# %%
lr_scheduler = torch.optim.lr_scheduler


def warmup_then_cosine(optimizer):
    first = lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=30)
    second = lr_scheduler.CosineAnnealingLR(optimizer, T_max=horizon - 30)
    return lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[30])


libraries = {
    "step decay": lambda o: lr_scheduler.StepLR(o, step_size=horizon // 3, gamma=0.1),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.01 ** (1 / horizon)),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=horizon),
    "warm restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=horizon // 3),
    "warm-up, cosine": warmup_then_cosine,
    "one-cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=horizon, cycle_momentum=False),
}


def library_rates(make_scheduler, n_steps, lr=1.0):
    """The rates that a scheduler gives an optimizer at steps 0 to n_steps - 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, rates = make_scheduler(optimizer), []
    for step in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < n_steps - 1:
            scheduler.step()
    return np.array(rates)


# %%
print(f"{'schedule':20s}{'difference':>12s}")
for name, make_scheduler in libraries.items():
    ours = np.array([schedules[name](step) for step in range(horizon)])
    largest = np.abs(ours - library_rates(make_scheduler, horizon)).max()
    print(f"{name:20s}{largest:12.1e}")
    assert largest < 1e-10

# %% [markdown]
# One trap: a cosine knows no end. Trained past its horizon, the rate climbs again, ours and the library's
# alike, and undoes the landing. One-cycle refuses instead.

# %%
past = library_rates(libraries["cosine"], 2 * horizon)
print("rate / peak at 1.0, 1.5 and 2.0 horizons:", past[[horizon, 3 * horizon // 2, -1]].round(3) + 0.0)
assert past[horizon] < 1e-10 and past[-1] > 0.99
assert schedules["cosine"](2 * horizon) == 1.0

# %% [markdown]
# ## A network to try them on
#
# Clothes from Fashion-MNIST at half resolution and a small ReLU network, many copies side by side as in
# lesson 7.2: one for each pair of a peak rate and a seed. Copies with the same seed share their start and
# their batches. The schedule multiplies the peak.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

center, spread = train_images[:4000].mean(), train_images[:4000].std()


def small(images):
    """Standardised images at half resolution, flat: (B, 28, 28) -> (B, 196)."""
    return F.avg_pool2d((images[:, None] - center) / spread, 2).flatten(1)  # (B, 1, 28, 28) -> (B, 196)


x_all, y_all = small(train_images), train_labels
splits = {
    "training": (x_all[:4000], y_all[:4000]),
    "validation": (x_all[4000:], y_all[4000:]),
    "test": (small(test_images), test_labels),
}

# %% [markdown]
# `momentum_step` and `adam_step` are the rules of lesson 7.2 on a list of tensors.


# %%
def momentum_step(params, grads, state, lr, t):
    """Heavy-ball SGD with momentum 0.9, in place; t counts from 1."""
    for i, (w, g) in enumerate(zip(params, grads)):
        state[i] = 0.9 * state.get(i, 0.0) + g
        w -= lr * state[i]


def adam_step(params, grads, state, lr, t):
    """Adam with the usual settings, in place; t counts from 1."""
    for i, (w, g) in enumerate(zip(params, grads)):
        mean, squares = state.get(i, (0.0, 0.0))
        mean, squares = 0.9 * mean + 0.1 * g, 0.999 * squares + 0.001 * g * g
        state[i] = mean, squares
        w -= lr * (mean / (1 - 0.9**t)) / ((squares / (1 - 0.999**t)) ** 0.5 + 1e-8)


# %% [markdown]
# What comes back from `train` are the networks' weights and their losses along the way; `judge` measures
# them on one split. `torch.baddbmm` adds a bias to the products of two stacks of matrices.


# %%
def scores(params, x):
    """x: (S, B, 196) for S networks; params: weights (S, n_out, n_in) and biases (S, 1, n_out) in turn."""
    for i in range(0, len(params), 2):
        x = torch.baddbmm(params[i + 1], x, params[i].mT)  # (S, B, n_in) @ (S, n_in, n_out) -> (S, B, n_out)
        x = x.relu() if i < len(params) - 2 else x
    return x


def train(rule, schedule, peaks, seeds, n_steps=horizon, sizes=(196, 32, 10), batch_size=64):
    """One network for each pair of peaks and seeds; returns their weights and batch losses (n_steps, S)."""
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    params = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        weight = torch.stack([torch.randn(n_out, n_in, generator=g) for g in generators]) * (2 / n_in) ** 0.5
        params += [weight.requires_grad_(), torch.zeros(len(weight), 1, n_out, requires_grad=True)]
    peaks = torch.tensor(peaks, dtype=torch.float32).reshape(-1, 1, 1)  # (S, 1, 1)
    state, history = {}, []
    for step in range(n_steps):
        rows = torch.stack([torch.randint(4000, (batch_size,), generator=g) for g in generators])  # (S, B)
        logits = scores(params, x_all[rows]).mT  # (S, B, 10) -> (S, 10, B): classes second
        losses = F.cross_entropy(logits, y_all[rows], reduction="none").mean(dim=1)  # (S,)
        grads = torch.autograd.grad(losses.sum(), params)
        with torch.no_grad():
            rule(params, grads, state, schedule(step) * peaks, step + 1)
        history.append(losses.detach())
    return params, torch.stack(history).numpy()


@torch.no_grad()
def judge(params, split):
    """Mean loss (S,) and accuracy (S,) of every network on a split."""
    x, y = splits[split]
    logits = scores(params, x.expand(len(params[0]), *x.shape))  # (S, n, 10)
    losses = F.cross_entropy(logits.mT, y.expand(len(logits), -1), reduction="none").mean(dim=1)  # (S,)
    return losses.numpy(), (logits.argmax(dim=-1) == y).double().mean(dim=1).numpy()


# %% [markdown]
# ## Which rates are usable?
#
# The *range test* raises the rate a little at every step, from far too small to far too large, and
# watches the loss: flat, falling, exploding. Useful rates lie where it falls. A rule of thumb takes the
# rate of the lowest loss and divides by a few.

# %%
lowest_rate, factor = 1e-5, 1e6 ** (1 / 200)
rates = lowest_rate * factor ** np.arange(200)
_, history = train(momentum_step, lambda step: factor**step, [lowest_rate] * 8, range(8), n_steps=200)
range_losses = np.median(history, axis=1)  # (200,)
smooth = np.convolve(range_losses, np.ones(9) / 9, "same")[4:-4]
lowest_at = rates[4:-4][smooth.argmin()]
suggested = lowest_at / 3
print(
    f"lowest loss at rate {lowest_at:.3f}, suggestion {suggested:.3f}; loss at the end {range_losses[-1]:.1f}"
)
assert range_losses[-1] > 2 * range_losses[0]

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogx(rates[4:-4], smooth, color="C1")
ax.axvline(suggested, color="0.7", linewidth=0.8, zorder=0)
ax.annotate(" a third of the best", (suggested, 4), color="0.3")
ax.set(xlabel="learning rate", ylabel="batch loss (nats)", ylim=(0, 5), title="Flat, falling, exploding")
plt.show()

# %% [markdown]
# ## Why Adam likes to warm up
#
# Adam divides by what it knows of the gradients' size, and at first it knows one batch. Its first step is
# $\pm\eta$ for every weight, however noisy that batch was. We hold one network still at its start, feed
# Adam different batches in 64 repetitions, and record the steps that it would take for the last layer's
# weights, in units of $\eta$.

# %%
frozen = [w.detach() for w in train(adam_step, lambda step: 0.0, [1.0] * 64, [0] * 64, n_steps=1)[0]]
last = frozen[-2].requires_grad_()  # (64, 10, 32): the same weights 64 times
torch.manual_seed(0)
mean, squares, proposed, divisors = 0.0, 0.0, [], []
for t in range(1, 201):
    rows = torch.randint(4000, (64, 64))
    # each copy: the mean of its batch
    loss = 64 * F.cross_entropy(scores(frozen, x_all[rows]).mT, y_all[rows])
    (g,) = torch.autograd.grad(loss, last)
    mean, squares = 0.9 * mean + 0.1 * g, 0.999 * squares + 0.001 * g * g
    divisors.append(1 / (squares / (1 - 0.999**t)).sqrt().flatten(1))  # (64, 320)
    proposed.append((mean / (1 - 0.9**t)).flatten(1) * divisors[-1])  # (64, 320)

proposed, divisors = torch.stack(proposed), torch.stack(divisors)  # (200, 64, 320) each
alive = divisors.isfinite().all(dim=0).all(dim=0)  # (320,): weights that have had a gradient in every copy
noise = proposed[:, :, alive].var(dim=1).mean(dim=1).sqrt().numpy()  # (200,): spread over repetitions
rate_spread = divisors[:, :, alive].std(dim=1) / divisors[:, :, alive].mean(dim=1)  # (200, weights)
rate_spread = rate_spread.median(dim=1).values.numpy()  # (200,)

# %% [markdown]
# Two things calm down as the evidence grows: the divisor, which is what Adam knows of a weight's scale,
# and with it the step itself. This is the case that Liu et al. make for warm-up: take short steps until
# the divisors can be trusted.

# %%
print(f"{'batches seen':20s}{'divisor':>12s}{'step':>12s}   (spread over repetitions)")
for t in (1, 2, 5, 20, 200):
    print(f"{t:<20d}{rate_spread[t - 1]:12.2f}{noise[t - 1]:12.2f}")
assert rate_spread[0] > 1 and rate_spread[-1] < 0.1
assert noise[0] > 2 * noise[-1]

# %% [markdown]
# Does it matter for training? A deeper network with a bold rate, with and without warm-up, on paired
# seeds.

# %%
deep, bold = (196, 64, 64, 64, 10), 0.03
starts = {"no warm-up": lambda step: 1.0, "warm-up": partial(linear_warmup, lr=1.0, n_warmup=50)}
openings, final = {}, {}
for name, schedule in starts.items():
    params, openings[name] = train(adam_step, schedule, [bold] * 12, range(12), n_steps=250, sizes=deep)
    final[name] = judge(params, "training")[0]
    worst = openings[name][:30].max(axis=0)  # (12,): the worst batch loss of each seed's first steps
    print(f"{name:12s}worst early loss {np.median(worst):.2f}   loss at the end {final[name].mean():.3f}")
early = [openings[name][1:30].max(axis=0) for name in starts]
assert np.mean(early[0] > early[1]) > 0.9

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(range(1, 201), rate_spread, "-", label="divisor, relative")
left.loglog(range(1, 201), noise, "--", label="step / learning rate")
left.set(xlabel="batches seen", ylabel="spread over repetitions", title="Adam's first steps are its wildest")
left.legend()
for (name, history), style in zip(openings.items(), ("-", "--")):
    right.semilogx(range(1, len(history) + 1), np.median(history, axis=1), style, label=name)
right.set(
    xlabel="batches seen",
    ylabel="median batch loss (nats)",
    ylim=(0, 6),
    title="Warm-up removes the jolt at the start",
)
right.legend()
plt.show()

# %% [markdown]
# The jolt is real, and this small network recovers from it: at the end the two are close. Deeper ones may
# not, which is why transformers (lesson 12.5) are usually warmed up.
#
# ## The comparison
#
# One budget of steps, heavy-ball SGD, and for every schedule the best of the peak rates by validation
# loss, on seeds set apart for that. Then fresh seeds, and differences to the constant rate seed by seed
# with their 95 % interval, as in lesson 7.2.

# %%
peaks, n_seeds, t95 = [0.02, 0.04, 0.08, 0.16, 0.32], 12, 2.201  # Student's t for 11 degrees of freedom
results = {}
print(f"{'schedule':20s}{'peak':>12s}{'test loss':>12s}{'accuracy':>12s}   loss against constant")
for name, schedule in schedules.items():
    params, _ = train(momentum_step, schedule, np.repeat(peaks, 3), [100, 101, 102] * 5)
    validation = judge(params, "validation")[0].reshape(5, 3).mean(axis=1)  # (peaks, seeds) -> (5,)
    peak = peaks[validation.argmin()]
    params, _ = train(momentum_step, schedule, [peak] * n_seeds, range(n_seeds))
    losses, accuracies = judge(params, "test")
    difference = losses - results["constant"]["losses"] if results else 0 * losses
    half = t95 * difference.std(ddof=1) / math.sqrt(n_seeds)
    interval = (difference.mean() - half, difference.mean() + half)
    results[name] = {"peak": peak, "losses": losses, "accuracy": accuracies.mean(), "interval": interval}
    print(f"{name:20s}{peak:12.2f}{losses.mean():12.3f}{accuracies.mean():12.3f}", end="")
    print("   {:+.3f} to {:+.3f}".format(*interval))

# %%
assert all(peaks[0] < result["peak"] < peaks[-1] for result in results.values())  # none at the grid's edge
for name in ("cosine", "warm-up, cosine", "one-cycle"):
    assert results[name]["interval"][1] < 0 and results[name]["peak"] > results["constant"]["peak"]
smooth_falls = [results[name]["losses"].mean() for name in ("cosine", "warm-up, cosine", "one-cycle")]
assert np.ptp(smooth_falls) < 0.5 * (results["constant"]["losses"].mean() - max(smooth_falls))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, result in enumerate(results.values()):
    low, high = result["interval"]
    ax.plot([low, high], [i, i], "-", color="C1", linewidth=2)
    ax.plot((low + high) / 2, i, "o", color="C1")
ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set(
    yticks=range(len(results)), yticklabels=list(results), xlabel="test loss against the constant rate (nats)"
)
ax.set_title("A cosine to zero pays, with or without a climb before it")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# Falling schedules can afford a higher peak, because the end cleans up what the peak stirs up. Whether
# the fall follows a cosine or has a climb before it hardly matters. Cutting the rate in steps, falling
# exponentially or restarting gained less here, and the intervals say how sure of that we may be.
#
# ## What to remember
#
# - A constant rate hovers above the bottom at a height in proportion to the rate; a falling one lands.
# - Find the usable rates first: a range test takes one short run.
# - Warm-up is for the first steps of Adam, when one batch is all it knows.
# - Cosine or one-cycle to zero, over exactly the steps you have: past its end a cosine climbs again.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Replace the decay $1/t$ of the bowl by $1/t^2$. Why does it stop far from the bottom?
# 2. Give the constant rate twice the steps. Does it catch up with the cosine?
# 3. Set `bold` to 0.003. What is left of the jolt?
#
# ## Sources
#
# - H. Robbins, S. Monro, "A stochastic approximation method", 1951: rates that fall like $1/t$.
# - L. Smith, "Cyclical learning rates for training neural networks", WACV 2017: the range test.
# - L. Smith, N. Topin, "Super-convergence", 2018: one-cycle.
# - I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
# - L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, section 3.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the data, MIT licence.
