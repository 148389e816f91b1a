# %% [markdown]
# # 7.3 Learning-rate schedules: large steps first, small steps last
#
# With a large learning rate the loss falls quickly and then stays at some height, because each noisy step
# throws the weights about. With a small rate it would get lower, but only after a very long time. A
# *schedule* changes the learning rate during training, so that one run can have both: large steps while
# the goal is far, small ones at the end. Published recipes for training a network always name a schedule,
# and the same network with a constant rate is usually worse.
#
# **You will build** the usual schedules as plain functions of the step, use their PyTorch versions in a
# training loop with a checkpoint, find a range of usable rates in one short run, and compare the
# schedules fairly. **You need** the noise of batches and the limit of the learning rate (7.1), SGD with
# momentum (7.2), and a training loop with `DataLoader` and checkpoints (4.4). **It takes** about 25
# seconds.

# %%
import math
import tempfile
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Take the parabola $\frac12 w^2$ (its gradient is $w$) and add noise of variance one to each gradient. How
# far from the bottom does a constant rate $\eta$ come to rest? Variances of independent numbers add, and a
# factor counts with its square (2.8):
#
# $$\begin{aligned}
#   w_{\text{new}} &= w - \eta\,(w + \text{noise}) = (1 - \eta)\, w - \eta \cdot \text{noise} \\
#   \text{variance}_{\text{new}} &= (1 - \eta)^2 \cdot \text{variance} + \eta^2 \\
#   \text{variance at rest} &= \frac{\eta^2}{1 - (1 - \eta)^2} = \frac{\eta}{2 - \eta}
# \end{aligned}$$
#
# With $\eta = 0.5$ that is $0.5 / 1.5 = 0.33$, and with $\eta = 0.02$ about $0.01$. So a constant rate
# never arrives. It hovers at a height that is roughly proportional to the rate, and a small rate takes
# long to get there. We let four thousand walkers start at $w = 10$, with both rates and with one that
# falls like $1/t$, which is the classical choice of Robbins and Monro (the steps become short, but their
# sum still grows without limit, so the walk can reach any place).


# %%
def noisy_descent(rates, rng, n_walkers=4000, start=10.0):
    """Mean of w²/2 before each step and after the last, over many walkers: (len(rates) + 1,)."""
    w = np.full(n_walkers, start)
    heights = []
    for rate in rates:
        heights.append(np.mean(w * w) / 2)
        w = w - rate * (w + rng.normal(size=n_walkers))
    heights.append(np.mean(w * w) / 2)
    return np.array(heights)


N_WALK = 300
steps = np.arange(N_WALK)
walk_rates = {
    "constant 0.5": np.full(N_WALK, 0.5),
    "constant 0.02": np.full(N_WALK, 0.02),
    "falling": 0.5 / (1 + 0.5 * steps),
}
heights = {name: noisy_descent(rates, rng) for name, rates in walk_rates.items()}
for name, height in heights.items():
    print(f"{name:16s}after 10 steps {height[10]:8.4f}   at the end {height[-1]:8.4f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
for (name, rates), style in zip(walk_rates.items(), ("-", "--", "-.")):
    left.semilogy(rates, style, label=name)
    right.semilogy(heights[name], style, label=name)
left.set(xlabel="step", ylabel="learning rate", title="Three schedules")
right.set(xlabel="step", ylabel="mean loss above the bottom", title="Loss of noisy gradient descent")
right.legend()
plt.show()

# %% [markdown]
# On the right, the rate of $0.5$ is down after ten steps and stays at the height that we calculated (half
# of the variance). The rate of $0.02$ needs over a hundred steps to get below it. The falling rate is
# nearly as fast as the first and gets lower than the second. In a network nobody knows the noise and the
# curvature, so in practice the shape of the schedule is chosen from a few that have proved themselves.
#
# ## The usual shapes
#
# Each is a function of the step $t$, counted from 0, and of the rate $\eta$ at which it starts or has its
# peak. *Step decay* cuts the rate now and then, *exponential* decay cuts it a little in each step, and
# *cosine annealing* leaves the peak slowly and arrives slowly. ($\lfloor t / k \rfloor$ is $t / k$
# rounded down, and $T$ is the step at which the cosine has arrived.)
#
# $$\eta_t = \eta\, \gamma^{\lfloor t / k \rfloor}, \qquad \eta_t = \eta\, \gamma^t, \qquad
#   \eta_t = \eta_\text{low} + \tfrac12 (\eta - \eta_\text{low}) \left(1 + \cos \frac{\pi t}{T}\right)$$


# %%
def step_decay(step, lr, every, gamma=0.1):
    """lr times gamma for each full `every` steps (one or more, else ValueError)."""
    if every < 1:
        raise ValueError(f"every must be at least 1 step, got {every}")
    return lr * gamma ** (step // every)


def exponential(step, lr, gamma):
    """lr times gamma in each step."""
    return lr * gamma**step


def cosine(step, lr, n_steps, end=0.0):
    """From lr to end in n_steps along half a cosine, and back again after that (Loshchilov, Hutter 2017).

    Without any steps it is end at once.
    """
    if n_steps == 0:
        return end
    return end + (lr - end) * (1 + math.cos(math.pi * step / n_steps)) / 2


def warm_restarts(step, lr, period, growth=1, end=0.0):
    """Cosine over `period` steps, then from the top again with a period `growth` times as long.

    Raises ValueError if the period is not above zero, or would shrink.
    """
    if period <= 0 or growth < 1:
        raise ValueError(f"no restarts with the period {period} and the growth {growth}")
    while step >= period:
        step = step - period
        period = period * growth
    return cosine(step, lr, period, end)


# %% [markdown]
# *Warm-up* raises the rate in a straight line over the first steps. It is followed by something else, so
# we need a function that puts two schedules in a row. *One-cycle* is such a pair: up along half a cosine,
# then down along another, to a rate far below the first.


# %%
def linear_warmup(step, lr, n_warmup, start=0.01):
    """From start·lr to lr in n_warmup steps, then lr. Without any steps of warm-up it is lr at once."""
    if n_warmup <= 0:
        return lr
    return lr * (start + (1 - start) * min(step / n_warmup, 1.0))


def in_a_row(step, first, second, at):
    """The schedule first(step) before step `at`, and second(step - at) from there."""
    return first(step) if step < at else second(step - at)


def one_cycle(step, lr, n_steps, rise=0.3, start=1 / 25, end=1 / 25e4):
    """From start·lr up to lr during the share `rise`, then down to end·lr at the last step (Smith 2018).

    Raises ValueError beyond the last step, n_steps - 1, and for a share that is none.
    """
    if not 0 <= step < n_steps or not 0 <= rise <= 1:
        raise ValueError(f"step {step} of a cycle with {n_steps} steps, of which the share {rise} goes up")
    top = rise * n_steps - 1
    if step <= top:
        return cosine(step, start * lr, top, end=lr)  # the same half cosine, run upwards
    return cosine(step - top, lr, n_steps - 1 - top, end=end * lr)


HORIZON = 300  # steps
N_WARMUP = 30
rising = partial(linear_warmup, lr=1.0, n_warmup=N_WARMUP)
falling = partial(cosine, lr=1.0, n_steps=HORIZON - N_WARMUP)
schedules = {
    "constant": lambda step: 1.0,
    "step decay": partial(step_decay, lr=1.0, every=HORIZON // 3),
    "exponential": partial(exponential, lr=1.0, gamma=0.01 ** (1 / HORIZON)),
    "cosine": partial(cosine, lr=1.0, n_steps=HORIZON),
    "warm restarts": partial(warm_restarts, lr=1.0, period=HORIZON // 3),
    "warm-up, cosine": partial(in_a_row, first=rising, second=falling, at=N_WARMUP),
    "one-cycle": partial(one_cycle, lr=1.0, n_steps=HORIZON),
}

fig, axs = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
for ax, (name, schedule) in zip(axs.flat, list(schedules.items())[1:]):
    ax.plot([schedule(step) for step in range(HORIZON)], color="C1")
    ax.set_title(name)
for ax in axs[1]:
    ax.set_xlabel("step")
for ax in axs[:, 0]:
    ax.set_ylabel("rate / peak")
plt.show()

# %% [markdown]
# All six end low, but they differ in how long they stay near the peak and in whether they start there.
#
# ## A scheduler in the loop
#
# In PyTorch a scheduler holds an optimizer and changes its learning rate whenever `scheduler.step()` is
# called, after `optimizer.step()`. We first compare each with our function over the whole horizon.

# %%
lr_scheduler = torch.optim.lr_scheduler


def warmup_then_cosine(optimizer, n_warmup=N_WARMUP, n_steps=HORIZON):
    """PyTorch's form of our `in_a_row`."""
    first = lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=n_warmup)
    second = lr_scheduler.CosineAnnealingLR(optimizer, T_max=n_steps - n_warmup)
    return lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[n_warmup])


libraries = {
    "step decay": lambda o: lr_scheduler.StepLR(o, step_size=HORIZON // 3, gamma=0.1),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.01 ** (1 / HORIZON)),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=HORIZON),
    "warm restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=HORIZON // 3),
    "warm-up, cosine": warmup_then_cosine,
    "one-cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=HORIZON, cycle_momentum=False),
}


def library_settings(make_scheduler, n_steps, lr=1.0, key="lr"):
    """What a scheduler sets (`key`: "lr" or "momentum") for steps 0 to n_steps - 1: (n_steps,)."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = make_scheduler(optimizer)
    settings = []
    for step in range(n_steps):
        settings.append(optimizer.param_groups[0][key])
        optimizer.step()
        if step < n_steps - 1:
            scheduler.step()
    return np.array(settings)


print(f"{'schedule':20s}{'difference':>12s}")
for name, make_scheduler in libraries.items():
    ours = np.array([schedules[name](step) for step in range(HORIZON)])
    largest = np.abs(ours - library_settings(make_scheduler, HORIZON)).max()
    print(f"{name:20s}{largest:12.1e}")
    assert largest < 1e-10


def one_cycle_by_default(optimizer):
    """PyTorch's one-cycle with all its defaults, among them `cycle_momentum=True`."""
    return lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=HORIZON)


momenta = library_settings(one_cycle_by_default, HORIZON, key="momentum")
print(
    f"OneCycleLR's momentum: {momenta[0]:.2f} first, {momenta.min():.2f} at the peak, then {momenta[-1]:.2f}"
)

# %% [markdown]
# All agree, but `OneCycleLR` does one more thing unless `cycle_momentum=False` is given: it lowers the
# momentum while the rate rises and raises it again while the rate falls, whatever momentum you have set.
#
# Now we put one into a loop. The data are clothes from Fashion-MNIST at half resolution, and the network
# is small. One question has to be answered for each scheduler: is it stepped after each batch or after
# each epoch? The numbers given to it (`T_max`, `total_steps`) have to be counted in the same unit. The
# schedule is part of the state of the run, so it belongs in the checkpoint.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

center = train_images[:4000].mean()
spread = train_images[:4000].std()


def small(images):
    """Standardised images at half resolution, flat: (B, 28, 28) -> (B, 196)."""
    return F.avg_pool2d((images[:, None] - center) / spread, 2).flatten(1)  # (B, 1, 28, 28) -> (B, 196)


x_all = small(train_images)  # (5000, 196)
y_all = train_labels
splits = {
    "training": (x_all[:4000], y_all[:4000]),
    "validation": (x_all[4000:], y_all[4000:]),
    "test": (small(test_images), test_labels),
}
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
BATCH_SIZE = 100  # 40 batches in an epoch
N_EPOCHS = 6


def new_run():
    """What a run consists of: model, optimizer, scheduler (stepped per batch) and a shuffling loader."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(196, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = DataLoader(
        TensorDataset(*splits["training"]),
        BATCH_SIZE,
        shuffle=True,
        generator=torch.Generator().manual_seed(0),
    )
    scheduler = warmup_then_cosine(optimizer, n_warmup=20, n_steps=N_EPOCHS * len(loader))
    return model, optimizer, scheduler, loader


def train_epochs(model, optimizer, scheduler, loader, first, last):
    """Train from epoch `first` to before epoch `last`; returns the learning rate of every step."""
    rates = []
    for epoch in range(first, last):
        model.train()
        for x, y in loader:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            scheduler.step()  # once per batch, as its lengths are counted in batches
        model.eval()
        with torch.no_grad():
            x, y = splits["validation"]
            validation_loss = F.cross_entropy(model(x.to(device)), y.to(device)).item()
        next_rate = scheduler.get_last_lr()[0]
        print(f"epoch {epoch}   validation loss {validation_loss:.4f}   next rate {next_rate:.4f}")
    return rates


straight = new_run()
straight_rates = train_epochs(*straight, 0, N_EPOCHS)

# %% [markdown]
# The same run again, but stopped after three epochs. We save the state of everything that has one, build
# a fresh run as after a crash, load, and go on. For comparison a second one loads all but the scheduler.
# What will its learning rate be?

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "checkpoint.pt"
    model, optimizer, scheduler, loader = new_run()
    train_epochs(model, optimizer, scheduler, loader, 0, 3)
    state = {
        "epoch": 3,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "shuffling": loader.generator.get_state(),
        "random": torch.get_rng_state(),  # dropout draws from it
    }
    torch.save(state, path)
    resumed = {}
    resumed_rates = {}
    for name in ("all", "all but the scheduler"):
        print(f"resumed with {name}:")
        resumed[name] = new_run()
        model, optimizer, scheduler, loader = resumed[name]
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        if name == "all":
            scheduler.load_state_dict(state["scheduler"])
        optimizer.load_state_dict(state["optimizer"])
        loader.generator.set_state(state["shuffling"])
        torch.set_rng_state(state["random"])
        resumed_rates[name] = train_epochs(model, optimizer, scheduler, loader, state["epoch"], N_EPOCHS)


def largest_gap(model, other):
    """The largest difference between the weights of two models."""
    return max((v - w).abs().max().item() for v, w in zip(model.parameters(), other.parameters()))


gaps = {name: largest_gap(run[0], straight[0]) for name, run in resumed.items()}
print(
    "largest difference from the run that never stopped:", {name: f"{gap:.1e}" for name, gap in gaps.items()}
)


def cosine_over_epochs(optimizer):
    """A cosine whose length is the number of epochs, right if it is stepped once for each epoch."""
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=N_EPOCHS)


n_batches = len(straight[3])
wrong_unit = library_settings(cosine_over_epochs, N_EPOCHS * n_batches, lr=0.1)  # stepped for each batch
right_unit = np.repeat(library_settings(cosine_over_epochs, N_EPOCHS, lr=0.1), n_batches)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.semilogy(straight_rates, color="0.7", linewidth=5, label="never stopped")
halfway = np.arange(3 * n_batches, N_EPOCHS * n_batches)
for (name, rates), style in zip(resumed_rates.items(), ("-", "--")):
    left.semilogy(halfway, rates, style, label=f"loaded: {name}")
left.set(xlabel="step", ylabel="learning rate", title="After a restart")
left.legend(fontsize=8)
right.plot(right_unit, label="stepped per epoch")
right.plot(wrong_unit, "--", linewidth=0.8, label="the same, stepped per batch")
right.set(xlabel="step", title=f"A cosine whose length is {N_EPOCHS} epochs")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# With everything loaded the second half is the same to the last bit. Without the scheduler's state the
# fresh scheduler begins its warm-up once more. `LinearLR` multiplies the rate that it finds in the
# optimizer. There it finds the loaded rate, which is no longer a hundredth of the peak. So the rate
# climbs to many times the peak, and the network is ruined, as the last of the printed validation losses
# shows.
#
# The right panel shows a common mistake, a length counted in epochs but a step in each batch. A cosine
# is periodic, so after six batches it climbs again, and the rate swings up and down for the rest of the
# run, without any error being raised.
#
# ## Which rates are usable?
#
# Before a schedule one needs to know its peak. The *range test* raises the rate a little in each step,
# from far too small to far too large, and records the loss. A rule of thumb takes the rate with the
# lowest loss and divides it by a few. Here is the test with eight networks side by side, as in lesson
# 7.2: one for each pair of a rate and a seed, with a leading axis $S$.


# %%
def momentum_step(params, grads, state, lr):
    """SGD with momentum 0.9 (7.2), in place; params and grads: lists of tensors, state: a dictionary."""
    for i, (w, g) in enumerate(zip(params, grads)):
        state[i] = 0.9 * state.get(i, 0.0) + g
        w -= lr * state[i]


def scores(params, x):
    """x: (S, B, 196) for S networks; params: weights (S, n_out, n_in) and biases (S, 1, n_out) in turn."""
    for i in range(0, len(params), 2):
        x = x @ params[i].mT + params[i + 1]  # (S, B, n_in) @ (S, n_in, n_out) -> (S, B, n_out)
        if i < len(params) - 2:
            x = x.relu()
    return x


def new_networks(seeds, sizes, gain=1.0):
    """He-initialised weights times gain, zero biases: one network for each seed; and the generators."""
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    params = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        weight = torch.stack([torch.randn(n_out, n_in, generator=g) for g in generators])  # (S, n_out, n_in)
        params.append((gain * (2 / n_in) ** 0.5 * weight).requires_grad_())
        params.append(torch.zeros(len(weight), 1, n_out, requires_grad=True))
    return params, generators


def train(schedule, peaks, seeds, n_steps=HORIZON, sizes=(196, 32, 10), batch_size=64, gain=1.0):
    """One network for each pair of peaks and seeds; returns their weights and batch losses (n_steps, S).

    Raises ValueError if there are not as many peaks as seeds, or if batch_size is below one.
    """
    if len(peaks) != len(seeds):
        raise ValueError(f"{len(peaks)} peaks, but {len(seeds)} seeds")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    params, generators = new_networks(seeds, sizes, gain)
    peaks = torch.tensor(peaks, dtype=torch.float32).reshape(-1, 1, 1)  # (S, 1, 1)
    state = {}
    history = torch.zeros(n_steps, len(seeds))
    for step in range(n_steps):
        rows = torch.stack([torch.randint(4000, (batch_size,), generator=g) for g in generators])  # (S, B)
        logits = scores(params, x_all[rows]).mT  # (S, B, 10) -> (S, 10, B): classes on axis 1
        losses = F.cross_entropy(logits, y_all[rows], reduction="none").mean(dim=1)  # (S,)
        grads = torch.autograd.grad(losses.sum(), params)
        with torch.no_grad():
            momentum_step(params, grads, state, schedule(step) * peaks)
        history[step] = losses.detach()
    return params, history.numpy()


@torch.no_grad()
def judge(params, split):
    """Mean loss (S,) and accuracy (S,) of every network on a split."""
    x, y = splits[split]
    logits = scores(params, x.expand(len(params[0]), *x.shape))  # (S, n, 10)
    losses = F.cross_entropy(logits.mT, y.expand(len(logits), -1), reduction="none").mean(dim=1)  # (S,)
    return losses.numpy(), (logits.argmax(dim=-1) == y).double().mean(dim=1).numpy()


LOWEST_RATE = 1e-5
FACTOR = 1e6 ** (1 / 200)  # in each step: over 200 steps, from 1e-5 to 10
tested_rates = LOWEST_RATE * FACTOR ** np.arange(200)
_, history = train(lambda step: FACTOR**step, [LOWEST_RATE] * 8, range(8), n_steps=200)
range_losses = np.median(history, axis=1)  # (200,)
smooth = np.convolve(range_losses, np.ones(9) / 9, "valid")  # (192,): means of nine neighbours
lowest_at = tested_rates[4:-4][smooth.argmin()]
suggested = lowest_at / 3
print(
    f"lowest loss at rate {lowest_at:.3f}, suggestion {suggested:.3f}; loss at the end {range_losses[-1]:.1f}"
)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.semilogx(tested_rates[4:-4], smooth, color="C1")
ax.axvline(suggested, color="0.7", linewidth=0.8, zorder=0)
ax.annotate(" a third of it", (suggested, 4), color="0.3")
ax.set(
    xlabel="learning rate", ylabel="batch loss (nats)", ylim=(0, 5), title="Range test (median of 8 networks)"
)
plt.show()

# %% [markdown]
# On the left the steps are too small to change anything, then the loss falls, and on the right it
# explodes. The suggestion is near $0.02$ (with four other sets of eight networks it was between $0.01$ and
# $0.025$), and the comparison will show how good it is.
#
# ## The comparison
#
# All schedules get the same 300 steps. Each chooses its peak among five by validation loss, with seeds
# set apart for that. Then they run with twelve fresh seeds and are compared with the constant rate, seed
# by seed, on the test images, with a 95 % interval of the difference (3.4).

# %%
PEAKS = [0.02, 0.04, 0.08, 0.16, 0.32]
N_SEEDS = 12
T_95 = 2.201  # Student's t for 11 degrees of freedom
results = {}
print(
    f"{'schedule':20s}{'peak':>8s}{'test loss':>12s}{'accuracy':>12s}   loss minus that of the constant rate"
)
for name, schedule in schedules.items():
    params, _ = train(schedule, np.repeat(PEAKS, 3), [100, 101, 102] * 5)
    validation = judge(params, "validation")[0].reshape(5, 3).mean(axis=1)  # (15,) -> (5, 3) -> (5,)
    peak = PEAKS[int(validation.argmin())]
    params, _ = train(schedule, [peak] * N_SEEDS, range(N_SEEDS))
    losses, test_accuracies = judge(params, "test")  # (12,) each
    difference = losses - (results["constant"]["losses"] if results else losses)
    half = T_95 * difference.std(ddof=1) / math.sqrt(N_SEEDS)
    interval = (difference.mean() - half, difference.mean() + half)
    results[name] = {"peak": peak, "losses": losses, "interval": interval}
    print(f"{name:20s}{peak:8.2f}{losses.mean():12.3f}{test_accuracies.mean():12.3f}", end="")
    print(f"   {interval[0]:+.3f} to {interval[1]:+.3f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, result in enumerate(results.values()):
    low, high = result["interval"]
    ax.errorbar((low + high) / 2, i, xerr=(high - low) / 2, fmt="o", color="C1", capsize=4)
ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set(yticks=range(len(results)), yticklabels=list(results))
ax.set(
    xlabel="test loss minus that of the constant rate (nats)", title="95 % intervals over twelve paired seeds"
)
ax.invert_yaxis()
plt.show()

# %% [markdown]
# Every point is a schedule's mean difference; left of the grey line it is better than the constant rate.
# The cosine, the cosine with warm-up and one-cycle are better, and among each other about equal. They
# also choose higher peaks than the constant rate, probably because their small last steps make up for the
# noise of the large ones. For the other schedules read the intervals: one that holds zero does not show a
# gain. (Six intervals at once need some care; lesson 7.7 says why.)
#
# And the range test? Its suggestion is lower than every peak that was chosen, by factors from two to ten.
# We have not looked into the reason. So here the rule of thumb was too careful: take its suggestion as a
# first guess, and try two, four and eight times as much.
#
# ## Why warm up?
#
# One reason can be measured. Plain gradient descent has the limit $2 / \lambda$, where $\lambda$ is the
# largest curvature (7.1). Momentum $\beta$ damps the jumps from side to side and raises the limit to $2
# (1 + \beta) / \lambda$, which is $3.8 / \lambda$ for the momentum of $0.9$ that is used here. Is the
# curvature at the start the same as later? We take a deeper network and start it with weights that are
# $1.6$ times too large, as may happen with an unlucky initialization, measure the largest curvature by
# power iteration (7.1) at the start and after a warm-up, and then train at a rate of $0.1$ with and
# without warm-up.

# %%
DEEP = (196, 64, 64, 64, 10)
GAIN = 1.6
HIGH_RATE = 0.1
N_CLIMB = 60  # steps of the warm-up


def largest_curvature(params, k, n_steps=30):
    """The largest curvature of network k's loss on a thousand training images, by power iteration (7.1)."""
    own = [w[k : k + 1].detach().requires_grad_() for w in params]
    loss = F.cross_entropy(scores(own, x_all[None, :1000])[0], y_all[:1000])  # (1, 1000, 196)
    gradient = torch.autograd.grad(loss, own, create_graph=True)
    torch.manual_seed(0)
    vector = [torch.randn_like(w) for w in own]
    for _ in range(n_steps):
        slope = sum((g * v).sum() for g, v in zip(gradient, vector))
        product = torch.autograd.grad(slope, own, retain_graph=True)  # H v
        length = sum((p * p).sum() for p in product).sqrt()
        vector = [p / length for p in product]
    return length.item()


climb = partial(linear_warmup, lr=1.0, n_warmup=N_CLIMB)
seeds = range(6)
at_start, _ = new_networks(seeds, DEEP, GAIN)
warm_params, warm_history = train(climb, [HIGH_RATE] * 6, seeds, n_steps=150, sizes=DEEP, gain=GAIN)
_, cold_history = train(lambda step: 1.0, [HIGH_RATE] * 6, seeds, n_steps=150, sizes=DEEP, gain=GAIN)
curvature_before = [largest_curvature(at_start, k) for k in range(3)]
curvature_after = [largest_curvature(warm_params, k) for k in range(3)]
last_losses = {"warm-up": warm_history[-20:].mean(axis=0), "no warm-up": cold_history[-20:].mean(axis=0)}
print("largest curvature of three networks at the start", np.round(curvature_before, 0))
print("                               after the warm-up", np.round(curvature_after, 0))
print("limits of the learning rate, at the start ", np.round(3.8 / np.array(curvature_before), 3))
print("                         after the warm-up", np.round(3.8 / np.array(curvature_after), 3))
for name, losses in last_losses.items():
    print(f"loss at the end, {name:12s}" + "".join(f"{loss:8.2f}" for loss in losses))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, losses), style in zip({"no warm-up": cold_history, "warm-up": warm_history}.items(), ("--", "-")):
    ax.semilogy(losses, style, color="C0" if name == "warm-up" else "C1", linewidth=0.6, alpha=0.5)
    ax.semilogy(np.median(losses, axis=1), style, color="C0" if name == "warm-up" else "C1", label=name)
ax.set(xlabel="step", ylabel="batch loss (nats)", title=f"Six deep networks at a rate of {HIGH_RATE:g}")
ax.legend()
plt.show()

# %% [markdown]
# The start is much more sharply curved than the place that the network reaches after the warm-up. The
# rate of $0.1$ is a few times above the limit at the start, and below it later. Without warm-up the first
# steps throw the networks to places from which most of them hardly recover, while with warm-up all six
# train. (Thin lines are single networks, thick lines their medians. Of 24 networks with other seeds all
# trained with warm-up, and 23 of them ended with a lower loss than without.)
#
# There are other reasons. Large batches ask for large rates (7.8), and those are the first to be above
# the limit. Adam knows little about the gradients' sizes in its first steps (see "Going further"), and in
# some Transformers the gradients themselves are badly sized at the start (8.4). With a careful
# initialization and a moderate rate, warm-up changes little, as the table showed.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
rest = 0.5 / 1.5 / 2
assert abs(heights["constant 0.5"][-1] - rest) < 4 * rest * math.sqrt(2 / 4000), (
    "a constant rate rests as predicted"
)
assert abs(heights["constant 0.5"][10] - rest) < 4 * rest * math.sqrt(2 / 4000), (
    "and is there after ten steps"
)
assert heights["constant 0.02"][100] > rest, "the small rate needs over a hundred steps to get as low"
assert heights["falling"][-1] < heights["constant 0.02"][-1], "the falling rate gets lower than the small one"
assert heights["falling"][10] < 0.02 * heights["falling"][0], "and it is nearly as fast as the large one"
ends = [schedule(HORIZON - 1) for name, schedule in schedules.items() if name != "constant"]
assert max(ends) < 0.02, "all six schedules end low"
assert momenta[0] == momenta[-1] > momenta.min() + 0.05, (
    "OneCycleLR lowers the momentum while the rate is high"
)
assert gaps["all"] == 0, "with everything loaded the run goes on to the last bit as if it had not stopped"
assert gaps["all but the scheduler"] > 0.01, "without the scheduler's state it ends elsewhere"
validation_losses = {}
for name, (model, *_) in [("never stopped", straight), *resumed.items()]:
    with torch.no_grad():
        x, y = splits["validation"]
        validation_losses[name] = F.cross_entropy(model(x.to(device)), y.to(device)).item()
assert validation_losses["all but the scheduler"] > 2 > 1 > validation_losses["never stopped"], (
    "and the network is ruined"
)
assert max(resumed_rates["all but the scheduler"]) > 10 * max(straight_rates), (
    "its rate climbs far above the peak"
)
assert np.ptp(wrong_unit[-2 * N_EPOCHS :]) > 0.09, (
    "a cosine counted in epochs but stepped per batch swings to the end"
)
assert range_losses[-1] > 2 * range_losses[0], "at the end of the range test the loss explodes"
assert 0.01 < suggested < 0.03, "the suggestion is near 0.02"
assert all(PEAKS[0] < result["peak"] < PEAKS[-1] for result in results.values()), (
    "no best peak at the grid's edge"
)
for name, result in results.items():
    assert 1.5 < result["peak"] / suggested < 15, (
        f"{name}: the range test suggests less, by a factor of 2 to 10"
    )
for name in ("cosine", "warm-up, cosine", "one-cycle"):
    assert results[name]["interval"][1] < 0, f"{name}: better than the constant rate"
    assert results[name]["peak"] > results["constant"]["peak"], (
        f"{name}: a higher peak than the constant rate"
    )
good_means = [results[name]["losses"].mean() for name in ("cosine", "warm-up, cosine", "one-cycle")]
assert np.ptp(good_means) < 0.5 * (results["constant"]["losses"].mean() - max(good_means)), (
    "the three are about equal"
)
assert min(curvature_before) > 3 * max(curvature_after), "the start is several times as sharply curved"
limit_at_start = 2 * (1 + 0.9) / min(curvature_before)
assert limit_at_start < HIGH_RATE / 2, "at the start the rate is a few times above the limit"
assert 2 * (1 + 0.9) / max(curvature_after) > HIGH_RATE, "and below it after the warm-up"
cold_losses = np.nan_to_num(last_losses["no warm-up"], nan=np.inf)  # (6,)
assert np.sum(cold_losses > 1.2 * last_losses["warm-up"]) >= 5, "nearly all train better with warm-up"
assert np.median(cold_losses) > 1.5 * np.median(last_losses["warm-up"]), "most hardly recover without it"
assert last_losses["warm-up"].max() < 1.0, "with warm-up all six train"

# %% [markdown]
# ## Going further
#
# Why a warm-up helps Adam, which lesson 12.7 makes use of.
#
# ### What Adam knows in its first steps
#
# Adam divides by what it knows of the size of the gradients (7.2), and after the first step it knows one
# batch. We hold a network still, feed Adam different batches in 64 repetitions, and record the divisor
# and the step that it would take for the weights of the last layer, in units of the learning rate. How
# much do the 64 differ from each other?

# %%
params, _ = new_networks([0] * 64, (196, 32, 10))
frozen = [w.detach() for w in params]
last = frozen[-2].requires_grad_()  # (64, 10, 32): the same weights 64 times
torch.manual_seed(0)
mean = 0.0
squares = 0.0
proposed = []
divisors = []
for t in range(1, 201):
    rows = torch.randint(4000, (64, 64))  # 64 batches, one for each copy
    loss = 64 * F.cross_entropy(
        scores(frozen, x_all[rows]).mT, y_all[rows]
    )  # each copy: the mean of its batch
    (g,) = torch.autograd.grad(loss, last)  # (64, 10, 32)
    mean = 0.9 * mean + 0.1 * g
    squares = 0.999 * squares + 0.001 * g * g
    divisors.append(1 / (squares / (1 - 0.999**t)).sqrt().flatten(1))  # (64, 320)
    proposed.append((mean / (1 - 0.9**t)).flatten(1) * divisors[-1])  # (64, 320)

proposed = torch.stack(proposed)  # (200, 64, 320)
divisors = torch.stack(divisors)  # (200, 64, 320)
alive = divisors.isfinite().all(dim=0).all(dim=0)  # (320,): weights that have had a gradient in every copy
step_spread = proposed[:, :, alive].var(dim=1).mean(dim=1).sqrt().numpy()  # (200,)
relative = divisors[:, :, alive].std(dim=1) / divisors[:, :, alive].mean(dim=1)  # (200, weights)
divisor_spread = relative.median(dim=1).values.numpy()  # (200,)
print(f"{'batches seen':20s}{'divisor':>12s}{'step':>12s}   (spread over repetitions)")
for t in (1, 2, 5, 20, 200):
    print(f"{t:<20d}{divisor_spread[t - 1]:12.2f}{step_spread[t - 1]:12.2f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(range(1, 201), divisor_spread, "-", label="divisor, relative")
ax.loglog(range(1, 201), step_spread, "--", label="step / learning rate")
ax.set(
    xlabel="batches seen", ylabel="spread over repetitions", title="Adam's divisor and step, 64 repetitions"
)
ax.legend()
plt.show()

# %% [markdown]
# After one batch the divisors differ from each other by more than their own size, so the first steps are
# of full length in directions that are mostly chance. With more batches both become smaller. This is the
# case that Liu et al. make for warm-up: take short steps until the divisors can be trusted.

# %%
assert divisor_spread[0] > 1 > 10 * divisor_spread[-1], "the divisor settles as batches are seen"
assert step_spread[0] > 2 * step_spread[-1], "and with it the step"

# %% [markdown]
# ## What to remember
#
# - A constant rate hovers above the bottom, roughly in proportion to the rate. A falling one lands.
# - A scheduler is stepped per batch or per epoch, its lengths are counted in the same unit, and its state
#   belongs in the checkpoint.
# - A cosine to zero over exactly the planned steps is a good default. Past its end it climbs again.
# - A range test takes one short run. Its suggestion is a first guess; here it was too low.
# - Warm-up is for starts that do not bear the full rate: sharp ones, large batches, Adam's first steps.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let the rate of the parabola fall like $1/t^2$: replace the line of "falling" by `"falling": 0.5 / (1
#    + 0.5 * steps) ** 2,`. Why does it stop far from the bottom? Look at the first figure.
# 2. Set `HIGH_RATE = 0.01`, below the limits of the start. What is left of the difference that warm-up
#    makes? Read the last lines printed before the sixth figure.
# 3. From a blank cell at the end: write `linear_to_zero(step, lr, n_steps)`, a straight line to zero,
#    train twelve seeds with it at a peak of $0.08$ with `train`, and compare its test loss with that of
#    the cosine.
#
# ## Sources
#
# - H. Robbins, S. Monro, "A stochastic approximation method", 1951: rates that fall like $1/t$.
#   Reproduced: "the falling rate gets lower than the small one".
# - L. Smith, "Cyclical learning rates for training neural networks", WACV 2017: the range test.
# - L. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning
#   rates", 2018: one-cycle. Reproduced: `test_one_cycle_defaults_are_those_of_torch`.
# - I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
#   Reproduced: `test_schedules_match_their_schedulers`.
# - J. Gilmer et al., "A loss curvature perspective on training instabilities of deep learning models",
#   ICLR 2022: warm-up and curvature. Reproduced: "the start is several times as sharply curved".
# - L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, section 3.
#   Reproduced: "the divisor settles as batches are seen".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the data, MIT licence.
