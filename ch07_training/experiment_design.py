# %% [markdown]
# # 7.7 Experiment design: how not to fool yourself
#
# You change one line, the score rises by a point, and you keep the line. Next week a colleague repeats it
# and the score falls. Nobody made a mistake. Training is a throw of dice, and one throw each of two dice
# does not tell which is loaded.
#
# **You will build** an experiment from hypothesis to write-up: a pilot, the number of seeds it calls for,
# paired intervals, a search at a fixed budget, an ablation table and a log that replays. **You need**
# intervals (3.4), data splits (3.1), optimizers (7.2) and schedules (7.3).

# %%
import json
import math
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Three seeds score $90, 94, 86$ without a change and $91, 95, 88$ with it. The two lists overlap almost
# completely: each scatters by $4$ around its mean. But the *same* seeds gained $1, 1, 2$, which scatter
# by $0.58$ around $1.33$. What the seeds share, kind rows or a lucky start, cancels in the difference.

# %%
without, with_change = np.array([90.0, 94.0, 86.0]), np.array([91.0, 95.0, 88.0])
gains = with_change - without
print(
    f"spread without {without.std(ddof=1):.2f}, of the gains {gains.std(ddof=1):.2f}, mean {gains.mean():.2f}"
)
assert abs(without.std(ddof=1) - 4) < 1e-12 and abs(gains.std(ddof=1) - math.sqrt(1 / 3)) < 1e-12

# %% [markdown]
# ## Two intervals
#
# The 95 % interval of a mean difference reaches $t \cdot \text{error}$ to both sides. Paired, the error
# comes from the differences; unpaired, from both lists as if they had nothing in common. Student's $t$ is
# a little over $1.96$, more so for few seeds.
#
# $$\text{paired: } \frac{s_{a - b}}{\sqrt n}, \qquad
#   \text{unpaired: } \sqrt{\frac{s_a^2}{n} + \frac{s_b^2}{n}}$$


# %%
def student_t(freedom):
    """The 97.5 % point of Student's t, to about 1 % from 4 degrees of freedom on.

    Abramowitz and Stegun, 26.7.5.
    """
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def paired_interval(a, b):
    """95 % interval (low, high) for the mean of a - b, where a[i] and b[i] belong together.

    Raises ValueError where they differ in number or there are fewer than two.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"{len(a)} and {len(b)} scores: pairs need as many, and at least two")
    gains = np.asarray(a) - np.asarray(b)
    half = student_t(len(gains) - 1) * gains.std(ddof=1) / math.sqrt(len(gains))
    return gains.mean() - half, gains.mean() + half


def unpaired_interval(a, b):
    """95 % interval (low, high) for the difference of means of two lists with nothing in common."""
    error = math.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    half = student_t(len(a) + len(b) - 2) * error
    return np.mean(a) - np.mean(b) - half, np.mean(a) - np.mean(b) + half


# %% [markdown]
# ## The question
#
# A hundred digits are few. Our idea: blur the network's memory by adding noise to the pixels in training.
# The *hypothesis* must be able to fail, so it has a number in it: noise raises accuracy on unseen digits
# by more than half a point. Everything else stays the same: *one change at a time*.
#
# The laboratory is the one of lesson 7.2: many small networks side by side, each with a configuration and
# a seed of its own. The seed decides rows, starting weights, batches and noise, so two configurations
# with one seed meet the same ones.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

shuffled = rng.permutation(len(images))
x_all = torch.from_numpy((images - images.mean())[shuffled] / images.std()).float()  # (1797, 64)
y_all = torch.from_numpy(labels[shuffled])
n_pool = 1200  # the rows from here on are for the final test, whatever the seed
n_train, n_validation, batch_size, width, n_steps = 100, 400, 32, 32, 200
plain = {"lr": 0.1, "momentum": 0.9, "noise": 0.0, "smoothing": 0.0, "decay": 0.0, "anneal": 1.0}


def scores(params, x):
    """x (S, B, 64) -> (S, B, 10); params: weights (S, n_out, n_in), biases (S, 1, n_out), in turn."""
    hidden = torch.baddbmm(params[1], x, params[0].mT).relu()  # (S, B, 64) @ (S, 64, H) -> (S, B, H)
    return torch.baddbmm(params[3], hidden, params[2].mT)  # (S, B, H) @ (S, H, 10) -> (S, B, 10)


def losses_of(params, x, y, smoothing):
    """Cross-entropy (S,) against y (S, B), a share `smoothing` (S, 1) of it spread over all classes."""
    log_p = scores(params, x).log_softmax(dim=-1)  # (S, B, 10)
    right = log_p.gather(2, y[..., None])[..., 0]  # (S, B, 1) -> (S, B)
    return -((1 - smoothing) * right + smoothing * log_p.mean(dim=-1)).mean(dim=1)


# %% [markdown]
# `run` trains one network for each pair of a configuration and a seed. A seed divides the pool into rows
# to train on, validation rows, and a rest. The test rows are outside the pool, the same for all seeds, and
# nobody looks at their column before the end.


# %%
def run(configs, seeds):
    """Train S networks, configs[i] with seeds[i].

    Returns accuracy on validation rows, on the pool's other unseen rows, and on the test rows, each (S,).
    """
    distinct, which = np.unique(seeds, return_inverse=True)
    which = torch.from_numpy(which)  # (S,): numbers drawn once a seed, used by all its networks
    generators = [torch.Generator().manual_seed(int(seed)) for seed in distinct]
    names = ("lr", "momentum", "noise", "smoothing", "decay", "anneal")
    columns = (torch.tensor([c[name] for c in configs]).float().reshape(-1, 1, 1) for name in names)
    lr, momentum, noise, smoothing, decay, anneal = columns  # (S, 1, 1) each
    order = torch.stack([torch.randperm(n_pool, generator=g) for g in generators])[which]  # (S, n_pool)
    params = []
    for n_in, n_out, gain in ((64, width, 2), (width, 10, 1)):
        draws = torch.stack([torch.randn(n_out, n_in, generator=g) for g in generators])[which]
        params += [draws * math.sqrt(gain / n_in), torch.zeros(len(which), 1, n_out)]
    params = [w.requires_grad_() for w in params]
    velocities = [torch.zeros_like(w) for w in params]
    for step in range(n_steps):
        picks = torch.stack([torch.randint(n_train, (batch_size,), generator=g) for g in generators])[which]
        rows = order.gather(1, picks)  # (S, B)
        # (S, B, 64)
        blur = torch.stack([torch.randn(batch_size, 64, generator=g) for g in generators])[which]
        losses = losses_of(params, x_all[rows] + noise * blur, y_all[rows], smoothing[:, 0])
        grads = torch.autograd.grad(losses.sum(), params)
        cosine = (1 + math.cos(math.pi * step / n_steps)) / 2
        with torch.no_grad():
            for w, g, velocity in zip(params, grads, velocities):
                velocity.mul_(momentum).add_(g + decay * w)
                w -= lr * (1 - anneal + anneal * cosine) * velocity
    test_rows = torch.arange(n_pool, len(x_all)).expand(len(which), -1)  # (S, 597)
    parts = order[:, n_train : n_train + n_validation], order[:, n_train + n_validation :], test_rows
    with torch.no_grad():
        return tuple(
            (scores(params, x_all[rows]).argmax(dim=-1) == y_all[rows]).double().mean(dim=1).numpy()
            for rows in parts
        )


# %% [markdown]
# ## A first answer, and a second
#
# One seed, both ways. Then another seed. We chose a pair that disagrees; how rare such pairs are, the
# large run below will tell.

# %%
noisy = {**plain, "noise": 0.5}
pilot_seeds = list(range(10, 16))
pilot_plain, pilot_noisy = (run([config] * 6, pilot_seeds)[0] for config in (plain, noisy))
pilot_gains = pilot_noisy - pilot_plain  # (6,)
for i, seed in enumerate(pilot_seeds[:2]):
    gain = f"gain {pilot_gains[i]:+.4f}"
    print(f"seed {seed}: plain {pilot_plain[i]:.3f}, noisy {pilot_noisy[i]:.3f}, {gain}")
assert pilot_gains[0] < -0.005 and pilot_gains[1] > 0.005

# %% [markdown]
# Whoever stopped after the first seed would have written that noise hurts. Whoever began with the second
# would have announced a breakthrough. So: how many seeds does the question need?
#
# ## How many seeds
#
# A *pilot* is a small run whose only use is to learn the spread $s$ of the gains. An interval that
# reaches $h$ to both sides needs
#
# $$n \approx \left(\frac{2 s}{h}\right)^2$$
#
# seeds. Ours should be half a point wide to each side, since half a point is what we ask about. The
# pilot's own seeds are used up: they made us choose.

# %%
half_width = 0.005
pilot_spread = pilot_gains.std(ddof=1)
n_seeds = math.ceil((2 * pilot_spread / half_width) ** 2)
print(f"pilot: gains scatter by {pilot_spread:.4f}, so {n_seeds} seeds")
assert 20 < n_seeds < 150

seeds = np.arange(100, 100 + n_seeds)
plain_scores, noisy_scores = (run([config] * n_seeds, seeds)[0] for config in (plain, noisy))
paired = paired_interval(noisy_scores, plain_scores)
unpaired = unpaired_interval(noisy_scores, plain_scores)
print("gain, paired   {:+.4f} to {:+.4f}".format(*paired))
print("gain, unpaired {:+.4f} to {:+.4f}".format(*unpaired))
misleading = np.mean(noisy_scores <= plain_scores)
print(f"seeds that alone would say the opposite: {misleading:.0%}")
assert np.ptp(paired) < 0.8 * np.ptp(unpaired)
assert paired[0] > half_width and misleading > 0.05

# %% [markdown]
# The hypothesis stands: the whole interval lies above half a point. And pairing came free: the same runs,
# read as two separate lists, leave more doubt. What counts is the interval of the *difference*; two error
# bars that overlap prove nothing either way.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(plain_scores, noisy_scores, "o", color="0.2", fillstyle="none", label="a seed")
left.axline((0.8, 0.8), slope=1, color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="accuracy, plain", ylabel="accuracy, noisy", title="Good seeds are good both ways")
left.legend()
counts = np.arange(2, n_seeds + 1)
for interval, style, color in ((paired_interval, "-", "C0"), (unpaired_interval, "--", "C1")):
    band = np.array([interval(noisy_scores[:n], plain_scores[:n]) for n in counts])  # (n_seeds - 1, 2)
    right.plot(counts, band, style, color=color)
    right.plot([], [], style, color=color, label=interval.__name__.split("_")[0])
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(xlabel="seeds", ylabel="95 % interval of the gain", ylim=(-0.02, 0.05))
right.set_title("Pairing settles it with fewer seeds")
right.legend()
plt.show()

# %% [markdown]
# ## Searching at a fixed budget
#
# Now the recipe: which learning rate and which weight decay, with noise on? A *trial* is one setting,
# scored by its mean over three seeds; the budget is a number of trials. Rates differ by factors, so we
# search on a *log scale*. A *grid* of sixteen trials knows four rates. Sixteen *random* ones know
# sixteen, which pays when one of the two matters more.


# %%
def log_uniform(low, high, size, rng):
    """Numbers whose logarithms are spread evenly between those of low and high."""
    return np.exp(rng.uniform(math.log(low), math.log(high), size=size))


def settings(lrs, decays):
    return [{**noisy, "lr": float(lr), "decay": float(decay)} for lr, decay in zip(lrs, decays, strict=True)]


def score(trials):
    """Mean validation accuracy of each trial over seeds 0, 1 and 2: (len(trials),)."""
    repeated = [trial for trial in trials for _ in range(3)]
    return run(repeated, [0, 1, 2] * len(trials))[0].reshape(-1, 3).mean(axis=1)  # (T, 3) -> (T,)


low_lr, high_lr, low_decay, high_decay, n_trials, budget = 1e-3, 10.0, 1e-4, 0.1, 96, 16
pools = {}
for name in ("first", "second"):
    lrs = log_uniform(low_lr, high_lr, n_trials, rng)
    trials = settings(lrs, log_uniform(low_decay, high_decay, n_trials, rng))
    pools[name] = trials, score(trials)
lrs = rng.uniform(low_lr, high_lr, 48)
linear_scores = score(settings(lrs, log_uniform(low_decay, high_decay, 48, rng)))

# %% [markdown]
# A grid can be lucky in where its lines fall. So we lay six of them, each shifted at random within its
# cells, and compare the best of sixteen for each way of searching.

# %%
grids = []
for _ in range(6):
    places = (np.arange(4) + rng.uniform(size=(2, 1))) / 4  # (2, 4): one shift for rates, one for decays
    grid_lrs, grid_decays = np.meshgrid(
        low_lr * (high_lr / low_lr) ** places[0], low_decay * (high_decay / low_decay) ** places[1]
    )
    grids.append(settings(grid_lrs.ravel(), grid_decays.ravel()))
bests = {
    "grid": score(sum(grids, [])).reshape(-1, budget).max(axis=1),  # (6,)
    "random": np.concatenate(
        [values.reshape(-1, budget).max(axis=1) for _, values in pools.values()]
    ),  # (12,)
    "random, linear scale": linear_scores.reshape(-1, budget).max(axis=1),  # (3,)
}
print(f"{f'best of {budget} trials':24s}{'mean':>12s}{'worst':>12s}")
for name, best in bests.items():
    print(f"{name:24s}{best.mean():12.4f}{best.min():12.4f}")
assert bests["random"].mean() > bests["random, linear scale"].mean() + 0.02

# %% [markdown]
# ## How good is the best of $k$?
#
# If the trials' scores in order are $v_1 \le \dots \le v_N$, then the best of $k$ drawn from them is at
# most $v_i$ with probability $(i/N)^k$. So its *expectation*, the mean over many draws, is
#
# $$\mathbb E[\text{best of } k] = \sum_{i=1}^N v_i \left[\left(\frac iN\right)^k -
#   \left(\frac{i-1}N\right)^k\right].$$
#
# We compute it from the first pool and hold it against the second: groups of $k$ fresh trials, and their
# best. It is also the honest way to report a search: not "our best", but "our best of so many".


# %%
def expected_best(values, k):
    """Expected maximum of k draws, with replacement, from values (N,); Dodge et al. 2019."""
    n = len(values)
    weights = np.diff((np.arange(n + 1) / n) ** k)  # (N,): the chance that the best is the i-th
    return float(np.sort(values) @ weights)


def standard_error(values, k, rng, n_times=200):
    """Standard error of `expected_best`, from resampling the values."""
    return np.std([expected_best(rng.choice(values, len(values)), k) for _ in range(n_times)])


ks, theory, measured, errors = (1, 2, 4, 8, 16), [], [], []
print(f"{'trials':8s}{'expected':>12s}{'measured':>12s}{'error':>12s}")
for k in ks:
    groups = pools["second"][1].reshape(-1, k).max(axis=1)  # (n_trials / k,)
    theory.append(expected_best(pools["first"][1], k))
    measured.append(groups.mean())
    own = groups.std(ddof=1) / math.sqrt(len(groups))
    errors.append(math.hypot(own, standard_error(pools["first"][1], k, rng)))
    print(f"{k:<8d}{theory[-1]:12.4f}{measured[-1]:12.4f}{errors[-1]:12.4f}")
    assert abs(theory[-1] - measured[-1]) < 4 * errors[-1] and errors[-1] < 0.05
assert np.all(np.diff(theory) > 0)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
tried = [trial for trials, _ in pools.values() for trial in trials]
values = np.concatenate([values for _, values in pools.values()])  # (2 · n_trials,)
points = left.scatter([t["lr"] for t in tried], [t["decay"] for t in tried], c=values, cmap="viridis", s=14)
left.plot(grid_lrs.ravel(), grid_decays.ravel(), "s", color="C3", fillstyle="none")
left.set(xscale="log", yscale="log", xlabel="learning rate (squares: one grid)", ylabel="weight decay")
left.set_title("The rate matters most: good trials form a stripe")
fig.colorbar(points, ax=left, label="validation accuracy")
right.plot(range(1, 33), [expected_best(pools["first"][1], k) for k in range(1, 33)], "-", label="expected")
right.errorbar(ks, measured, yerr=2 * np.array(errors), fmt="o", label="fresh trials, two errors")
right.set(
    xscale="log", xlabel="trials", ylabel="best validation accuracy", title="The first few trials buy most"
)
right.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## The winner has been lucky
#
# Whoever wins a choice is good, or lucky, or both, and luck does not come along. To see it alone, choose
# among equals: one configuration, sixteen seeds, the best on validation rows. What does it have left on
# the pool's other rows?

# %%
validation, others, _ = run([noisy] * 64, np.arange(2000, 2064))
winners = validation.reshape(-1, 16).argmax(axis=1) + 16 * np.arange(4)  # four choices among sixteen equals
print(f"winners on validation rows {validation[winners].mean():.3f}, on others {others[winners].mean():.3f}")
print(f"everybody on validation rows {validation.mean():.3f}, on others {others.mean():.3f}")
luck = (validation[winners].mean() - validation.mean()) - (others[winners].mean() - others.mean())
print(f"luck that stayed behind {luck:+.4f}")
assert luck > 0.005

# %% [markdown]
# A search over hundreds of trials selects for luck in the same way. Therefore the best few trials play
# again, on fresh seeds and still on validation rows, and only this second round decides.

# %%
finalists = np.argsort(-values)[:8]
rematch = run([tried[i] for i in finalists for _ in range(12)], list(range(3000, 3012)) * 8)[0]
rematch = rematch.reshape(8, 12).mean(axis=1)  # (8 trials, 12 seeds) -> (8,)
print(f"{'finalist':12s}{'rate':>12s}{'decay':>12s}{'search':>12s}{'rematch':>12s}")
for place, (i, again) in enumerate(zip(finalists, rematch), 1):
    print(f"{place:<12d}{tried[i]['lr']:12.3g}{tried[i]['decay']:12.3g}{values[i]:12.4f}{again:12.4f}")
recipe = tried[finalists[rematch.argmax()]]
assert rematch[0] < values[finalists[0]]

# %% [markdown]
# ## What carries the recipe?
#
# The rematch sets the rate and the decay. The recipe has several ingredients now, and an *ablation table*
# asks each what it is worth: take one out at a time, leave the rest, and compare on paired seeds.

# %%
removals = {
    "no noise": {"noise": 0.0},
    "no momentum": {"momentum": 0.0},
    "no decay": {"decay": 0.0},
    "no annealing": {"anneal": 0.0},
    "rate of the pilot": {"lr": plain["lr"]},
}
ablation_seeds = np.arange(1000, 1024)
full = run([recipe] * 24, ablation_seeds)[0]  # (24,)
ablations = {}
print(f"{'recipe':20s}{full.mean():12.4f}   gain of the recipe over it")
for name, change in removals.items():
    without = run([{**recipe, **change}] * 24, ablation_seeds)[0]
    ablations[name] = paired_interval(full, without)
    print(f"{name:20s}{without.mean():12.4f}", "  {:+.4f} to {:+.4f}".format(*ablations[name]))
assert any(low > 0 for low, _ in ablations.values())
assert np.mean(ablations["no noise"]) < np.mean(paired)

# %% [markdown]
# Ingredients whose interval holds zero are passengers. They may stay for other reasons, but the write-up
# must not praise them. Noise is worth less inside the recipe than it was alone: weight decay, too, keeps
# the network from learning by heart, and what one has done the other need not do.
#
# ## A log that replays
#
# A run that cannot be repeated is an anecdote. Before the final test we write down, a line of JSON each,
# all that a run depends on: configuration, seed, sizes, versions. The result goes in as well. Then we
# read the file back as a stranger would, run again, and demand the same bits. That much holds on one
# machine's CPU; on another, or on a GPU, sums may be added in another order.

# %%
final_seeds = list(range(5000, 5010))
sizes = {"n_train": n_train, "n_validation": n_validation, "n_pool": n_pool, "batch_size": batch_size}
sizes |= {"width": width, "n_steps": n_steps}
versions = {"torch": torch.__version__, "numpy": np.__version__}
with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "runs.jsonl"
    with open(log, "w", encoding="utf-8") as file:
        for name, config in (("plain", plain), ("recipe", recipe)):
            for seed in final_seeds:
                validation, _, test = run([config], [seed])
                record = {"name": name, "config": config, "seed": seed, "sizes": sizes, "versions": versions}
                record |= {"validation": validation.item(), "test": test.item()}
                file.write(json.dumps(record) + "\n")
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

winner = max((record for record in records if record["name"] == "recipe"), key=lambda r: r["validation"])
assert winner["sizes"] == sizes and winner["versions"] == versions
replayed = run([winner["config"]], [winner["seed"]])
print(f"logged   {winner['validation']} {winner['test']}")
print(f"replayed {replayed[0].item()} {replayed[2].item()}")
assert (winner["validation"], winner["test"]) == (replayed[0].item(), replayed[2].item())

# %% [markdown]
# ## The write-up
#
# Half a page, and every number in it is computed, not typed. It says what was asked, what was done, how
# sure we are, what was tried besides, and what we do not know. The test rows are looked at here, for the
# first and last time.

# %%
by_name = {name: [r["test"] for r in records if r["name"] == name] for name in ("plain", "recipe")}
test_interval = paired_interval(by_name["recipe"], by_name["plain"])
passengers = ", ".join(name for name, (low, high) in ablations.items() if low <= 0 <= high) or "none"
report = f"""
Question.   Does pixel noise help a small network that learns digits from {n_train} examples?
Hypothesis. It raises accuracy by more than {100 * half_width:.1f} points. A pilot of {len(pilot_seeds)} seeds
            set the number of seeds ({n_seeds}); its first two seeds disagreed on the sign.
Result.     Gain on validation rows {100 * paired[0]:+.1f} to {100 * paired[1]:+.1f} points (95 %, paired).
Search.     {2 * n_trials} random trials of rate and decay; expected best of {budget}: {theory[-1]:.3f}.
Ablation.   Not shown to matter: {passengers}.
Test, once. Recipe over plain {100 * test_interval[0]:+.1f} to {100 * test_interval[1]:+.1f} points,
            {len(final_seeds)} seeds.
Not known.  Other data sizes, other networks, noise of other strengths.
"""
print(report)
assert test_interval[0] > 0

# %% [markdown]
# ## What to remember
#
# - A hypothesis has a number in it and can fail. One change at a time.
# - One seed is a throw of dice. Pair the seeds, and let a pilot tell how many.
# - Report the interval of the difference, not of each side.
# - Search at random on a log scale, and report the best of how many.
# - Choose on validation, test once, and keep a log that replays.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Set the noise to 0.3. How many seeds does the pilot ask for now, and does the hypothesis survive?
# 2. Give the two sides different seeds. What becomes of the paired interval?
# 3. Choose the best of 64 seeds instead of 16. How much luck stays behind?
#
# ## Sources
#
# - J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 2012, section 2.
# - J. Dodge et al., "Show your work: improved reporting of experimental results", EMNLP 2019, section 3.
# - X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021.
# - M. Abramowitz, I. Stegun, *Handbook of mathematical functions*, 1964, formula 26.7.5.
# - C. Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data, CC BY 4.0.
