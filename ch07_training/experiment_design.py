# %% [markdown]
# # 7.7 Experiment design: how not to fool yourself
#
# You change one line of the training code, the accuracy rises by a point, and you keep the line. Next
# week a colleague repeats it, and the accuracy falls. Neither of you has made a mistake. The initial
# weights, the order of the batches and the split of the data are drawn at random, and another draw
# (another seed of the random generator) gives another accuracy. If two draws differ by as much as your
# line changes, then one run with the line and one run without it tell nothing. Papers and products have
# been built on such differences.
#
# **You will build** one experiment from the question to the report: a pilot, the number of runs that it
# calls for, paired intervals, several comparisons at once, a search with a fixed budget, an ablation, and
# a log that can be replayed. **You need** intervals (3.4), splits of data (3.1), SGD with momentum (7.2)
# and schedules (7.3). **It takes** about 25 seconds.

# %%
import hashlib
import json
import math
import tempfile
from pathlib import Path
from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
import torch

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Three seeds score $90, 94, 86$ without a change and $91, 95, 88$ with it. Is that a gain?
#
# $$\begin{aligned}
#   \text{means} \quad & 90 \text{ and } 91\tfrac13 \\
#   \text{spread of each list} \quad & 4.0 \text{ and } 3.5 \\
#   \text{gains of the same seeds} \quad & 91 - 90 = 1, \quad 95 - 94 = 1, \quad 88 - 86 = 2 \\
#   \text{mean and spread of the gains} \quad & 1\tfrac13 \text{ and } 0.58
# \end{aligned}$$
#
# As two lists they overlap almost completely, and the difference of the means is a third of their
# spread. But the two runs of one seed have the same rows and the same start, and what they share cancels
# in their difference. The gains agree well, and a comparison of this kind is called *paired*. Both kinds
# give a 95 % interval for the mean difference, which reaches $t$ standard errors to both sides (3.4):
#
# $$\text{paired: } \frac{s_{\text{gains}}}{\sqrt n}, \qquad
#   \text{unpaired: } \sqrt{\frac{s_a^2}{n} + \frac{s_b^2}{n}} .$$


# %%
def student_t(freedom, level=0.95):
    """Student's t for an interval of this level, to about 1 % from 4 degrees of freedom on.

    Abramowitz and Stegun, 26.7.5.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)  # 1.96 for 95 %
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def paired_interval(a, b, level=0.95):
    """Interval (low, high) for the mean of a - b, where a[i] and b[i] belong together.

    Raises ValueError if they differ in number or there are fewer than two.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"{len(a)} and {len(b)} scores: pairs need as many, and at least two")
    gains = np.asarray(a) - np.asarray(b)
    half = student_t(len(gains) - 1, level) * gains.std(ddof=1) / math.sqrt(len(gains))
    return gains.mean() - half, gains.mean() + half


def unpaired_interval(a, b, level=0.95):
    """Interval (low, high) for the difference of means of two lists with nothing in common.

    Raises ValueError if there are fewer than two scores in either.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} and {len(b)} scores: each list needs at least two")
    error = math.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    half = student_t(len(a) + len(b) - 2, level) * error
    return np.mean(a) - np.mean(b) - half, np.mean(a) - np.mean(b) + half


paper_plain = np.array([90.0, 94.0, 86.0])
paper_changed = np.array([91.0, 95.0, 88.0])
paper_gains = paper_changed - paper_plain
print(f"spread {paper_plain.std(ddof=1):.2f} and {paper_changed.std(ddof=1):.2f}", end="")
print(f", of the gains {paper_gains.std(ddof=1):.2f}, mean gain {paper_gains.mean():.2f}")

# %% [markdown]
# ## The question
#
# A hundred digits are few to learn from, and our idea is to add noise to the pixels during training, so
# that the network cannot learn the images by heart. The *hypothesis*, the statement to be tested, must
# be able to fail, so it has a number in it: noise raises the accuracy on unseen digits by more than half
# a point. Everything else stays the same, one change at a time.
#
# The laboratory trains many small networks side by side, as in lesson 7.2, each with a configuration and
# a seed of its own. The seed decides which rows are used for training, the initial weights, the batches
# and the noise, so two configurations with one seed meet the same ones. `anneal` set to 1 lets the rate
# fall along a cosine (7.3). The rows after the first 1,200 are the test rows, the same for all seeds, and
# nobody looks at their results before the end.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

shuffled = np.random.default_rng(0).permutation(len(images))
x_all = torch.from_numpy((images - images.mean())[shuffled] / images.std()).float()  # (1797, 64)
y_all = torch.from_numpy(labels[shuffled])  # (1797,)
n_pool = 1200
n_train = 100
n_validation = 400
batch_size = 32
n_hidden = 32
n_steps = 200
NAMES = ("lr", "momentum", "noise", "decay", "anneal")
plain = {"lr": 0.1, "momentum": 0.9, "noise": 0.0, "decay": 0.0, "anneal": 1.0}


def scores(params, x):
    """x (S, B, 64) -> (S, B, 10); params: weights (S, n_out, n_in), biases (S, 1, n_out), in turn."""
    hidden = (x @ params[0].mT + params[1]).relu()  # (S, B, 64) @ (S, 64, H) -> (S, B, H)
    return hidden @ params[2].mT + params[3]  # (S, B, H) @ (S, H, 10) -> (S, B, 10)


def losses_of(params, x, y):
    """Cross-entropy (S,) of S networks on x (S, B, 64) with labels y (S, B)."""
    # cross_entropy wants the classes on axis 1: (S, B, 10) -> (S, 10, B); it returns (S, B)
    return torch.nn.functional.cross_entropy(scores(params, x).mT, y, reduction="none").mean(dim=1)


def new_networks(generators):
    """One network for each generator: He's weights before the ReLU, 1 / n_in after it, zero biases."""
    params = []
    for n_in, n_out, gain in ((64, n_hidden, 2), (n_hidden, 10, 1)):
        draws = torch.stack([torch.randn(n_out, n_in, generator=g) for g in generators])  # (G, n_out, n_in)
        params += [draws * math.sqrt(gain / n_in), torch.zeros(len(generators), 1, n_out)]
    return params


def accuracies_of(params, rows):
    """Share of right answers of S networks, each on its own rows (S, n): (S,)."""
    with torch.no_grad():
        correct = scores(params, x_all[rows]).argmax(dim=-1) == y_all[rows]  # (S, n)
    return correct.double().mean(dim=1).numpy()


# %%
def run(configs, seeds):
    """Train S networks, configs[i] with seeds[i].

    Returns accuracy on validation rows, on the pool's other unseen rows, and on the test rows, each (S,).
    Raises ValueError if there are not as many configs as seeds, or none.
    """
    if len(configs) != len(seeds) or len(seeds) == 0:
        raise ValueError(f"{len(configs)} configs for {len(seeds)} seeds")
    distinct, which = np.unique(seeds, return_inverse=True)  # numbers are drawn once for each seed
    which = torch.from_numpy(which)  # (S,): which of them a network uses
    generators = [torch.Generator().manual_seed(int(seed)) for seed in distinct]
    columns = [torch.tensor([c[name] for c in configs]).float().reshape(-1, 1, 1) for name in NAMES]
    lr, momentum, noise, decay, anneal = columns  # (S, 1, 1) each
    order = torch.stack([torch.randperm(n_pool, generator=g) for g in generators])  # (G, n_pool)
    params = [w[which].requires_grad_() for w in new_networks(generators)]  # (S, ...)
    velocities = [torch.zeros_like(w) for w in params]
    for step in range(n_steps):
        picks = torch.stack(
            [torch.randint(n_train, (batch_size,), generator=g) for g in generators]
        )  # (G, B)
        rows = order.gather(1, picks)[which]  # (S, B): of each row of order, the columns that were picked
        blur = torch.stack([torch.randn(batch_size, 64, generator=g) for g in generators])[
            which
        ]  # (S, B, 64)
        losses = losses_of(params, x_all[rows] + noise * blur, y_all[rows])
        grads = torch.autograd.grad(losses.sum(), params)
        cosine = (1 + math.cos(math.pi * step / n_steps)) / 2
        with torch.no_grad():
            for w, g, velocity in zip(params, grads, velocities):
                velocity[:] = momentum * velocity + (g + decay * w)  # [:]: into the array in the list
                w -= lr * (1 - anneal + anneal * cosine) * velocity
    own = order[which]  # (S, n_pool)
    test_rows = torch.arange(n_pool, len(x_all)).expand(len(which), -1)  # (S, 597)
    parts = own[:, n_train : n_train + n_validation], own[:, n_train + n_validation :], test_rows
    return tuple(accuracies_of(params, rows) for rows in parts)


# %% [markdown]
# ## How many seeds?
#
# A *pilot* is a small run whose only use is to learn the spread $s$ of the gains. Ours has the first
# twelve seeds, whatever they give. An interval that reaches $h$ to both sides needs about
#
# $$n \approx \left(\frac{2 s}{h}\right)^2$$
#
# seeds, because its half width is about $2 s / \sqrt n$. We want $h$ to be half a point, since half a
# point is what we ask about. What would you have concluded from the first seed alone, and what from the
# fourth?

# %%
NOISE = 0.5
noisy = {**plain, "noise": NOISE}
pilot_seeds = list(range(12))
pilot_plain = run([plain] * len(pilot_seeds), pilot_seeds)[0]
pilot_noisy = run([noisy] * len(pilot_seeds), pilot_seeds)[0]
pilot_gains = pilot_noisy - pilot_plain  # (12,)
print("gains of the pilot, in points:", (100 * pilot_gains).round(2).tolist())

HALF_WIDTH = 0.005
pilot_spread = pilot_gains.std(ddof=1)
n_seeds = math.ceil((2 * pilot_spread / HALF_WIDTH) ** 2)
print(f"they scatter by {100 * pilot_spread:.1f} points, so {n_seeds} seeds")

# %% [markdown]
# One seed would have announced a breakthrough and another that noise hurts. So a few seeds would not do,
# and we run as many as the pilot asks for. We take fresh seeds, because we have already used the pilot's
# results for a decision.

# %%
main_seeds = np.arange(100, 100 + n_seeds)
plain_scores = run([plain] * n_seeds, main_seeds)[0]  # (n_seeds,)
noisy_scores = run([noisy] * n_seeds, main_seeds)[0]
paired = paired_interval(noisy_scores, plain_scores)
unpaired = unpaired_interval(noisy_scores, plain_scores)
main_spread = (noisy_scores - plain_scores).std(ddof=1)
opposite = np.mean(noisy_scores <= plain_scores)
print("gain, paired   {:+.4f} to {:+.4f}".format(*paired))
print("gain, unpaired {:+.4f} to {:+.4f}".format(*unpaired))
print(f"seeds that alone would say the opposite: {opposite:.0%}")
print(f"spread of the gains {main_spread:.4f}, in the pilot {pilot_spread:.4f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(plain_scores, noisy_scores, "o", color="C0", fillstyle="none", label="one seed")
left.axline((0.8, 0.8), slope=1, color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="accuracy, plain", ylabel="accuracy, noisy", title="Two runs of each seed")
left.legend()
counts = np.arange(5, n_seeds + 1)  # four degrees of freedom or more, see `student_t`
for name, interval, style, color in (
    ("paired", paired_interval, "-", "C0"),
    ("unpaired", unpaired_interval, "--", "C1"),
):
    band = np.array([interval(noisy_scores[:n], plain_scores[:n]) for n in counts])  # (n_seeds - 4, 2)
    right.plot(counts, band[:, 0], style, color=color, label=name)
    right.plot(counts, band[:, 1], style, color=color)
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.axhline(HALF_WIDTH, color="0.7", linewidth=0.8, linestyle=":", zorder=0)
right.set(xlabel="seeds", ylabel="95 % interval of the gain", ylim=(-0.02, 0.05))
right.set_title("Intervals as seeds are added")
right.legend()
plt.show()

# %% [markdown]
# On the left, seeds that are good without noise are good with it, so the circles lie along the line, and
# most of them above it. That is why pairing pays: the same runs, read as two separate lists, leave more
# doubt. The whole paired interval lies above half a point (dotted), so the hypothesis stands.
#
# The spread of all the gains is smaller than that of the pilot, so fewer seeds would have been enough. A
# pilot of twelve knows the spread only to within a factor of about one and a half. This time the error
# cost computing time. If it goes the other way, the interval gets wider than planned, and then the right
# report is the wide interval, not a few more seeds until it looks good.
#
# ## Several comparisons at once
#
# A 95 % interval misses the truth once in twenty times. What if ten ideas are tried, none of which
# does anything? We simulate that with the runs that we have: two groups of runs of the _same_
# configuration are compared as if they were two, again and again.

# %%
N_IDEAS = 10
null_rng = np.random.default_rng(1)
alarms = {0.95: [], 1 - 0.05 / N_IDEAS: []}
for _ in range(400):
    for level, found in alarms.items():
        n_found = 0
        for _ in range(N_IDEAS):
            low, high = unpaired_interval(*null_rng.choice(plain_scores, size=(2, 12)), level)
            if low > 0 or high < 0:  # the interval does not hold zero: a "discovery"
                n_found += 1
        found.append(n_found)
single_rate = np.mean(alarms[0.95]) / N_IDEAS
any_found = {level: np.mean(np.array(found) > 0) for level, found in alarms.items()}
print(f"a single idea without effect looks like a discovery in {single_rate:.1%} of the cases")
for level, share in any_found.items():
    print(
        f"{N_IDEAS} ideas with intervals of {level:.1%}: at least one 'discovery' in {share:.0%} of the cases"
    )

# %% [markdown]
# A single comparison is wrong as often as it says. But among ten ideas that do nothing, at least one
# looks like a discovery in about four cases of ten. The remedy of Bonferroni is simple: with $k$
# comparisons, let each interval be wrong only $5\,\% / k$ of the time. Then all of them together are
# wrong in at most one case of twenty. And the report should say how many were tried.
#
# ## Searching with a fixed budget
#
# Now the recipe as a whole: which learning rate and which weight decay (8.2) go with the noise? A *trial*
# is one setting, judged by its mean over three seeds, and the budget is sixteen trials. Rates differ by
# factors, so we search on a logarithmic scale. A grid of sixteen trials has four rates and four decays.
# Sixteen _random_ trials have sixteen of each. When does that pay? Suppose that only one of the two
# matters, and that its good values fill a share $p$ of its axis. The grid, laid with a random shift, has
# a line there with probability $\min(1, 4p)$, and at least one random trial falls there with probability
# $1 - (1 - p)^{16}$:

# %%
print(f"{'share of good values':24s}{'grid':>12s}{'random':>12s}")
for share in (0.05, 0.1, 0.25, 0.5):
    print(f"{share:<24g}{min(1, 4 * share):12.2f}{1 - (1 - share) ** 16:12.2f}")


def log_uniform(low, high, size, rng):
    """Numbers whose logarithms are spread evenly between those of low and high (both above zero)."""
    return np.exp(rng.uniform(math.log(low), math.log(high), size=size))


def settings(lrs, decays):
    """Configurations with noise, one for each pair of a learning rate and a decay."""
    return [{**noisy, "lr": float(lr), "decay": float(decay)} for lr, decay in zip(lrs, decays, strict=True)]


def score(trials):
    """Mean validation accuracy of each trial over seeds 0, 1 and 2: (len(trials),)."""
    repeated = [trial for trial in trials for _ in range(3)]
    return run(repeated, [0, 1, 2] * len(trials))[0].reshape(-1, 3).mean(axis=1)  # (3T,) -> (T, 3) -> (T,)


LOW_LR, HIGH_LR = 1e-3, 10.0
LOW_DECAY, HIGH_DECAY = 1e-4, 0.1
BUDGET = 16
N_TRIALS = 6 * BUDGET
trials = settings(
    log_uniform(LOW_LR, HIGH_LR, N_TRIALS, rng), log_uniform(LOW_DECAY, HIGH_DECAY, N_TRIALS, rng)
)
trial_scores = score(trials)  # (96,)
linear_trials = settings(
    rng.uniform(LOW_LR, HIGH_LR, 3 * BUDGET), log_uniform(LOW_DECAY, HIGH_DECAY, 3 * BUDGET, rng)
)
grid_trials = []
for _ in range(6):  # six grids, each shifted at random within its cells
    places = (np.arange(4) + rng.uniform(size=(2, 1))) / 4  # (2, 4): rates and decays, from 0 to 1
    grid_lrs, grid_decays = np.meshgrid(
        LOW_LR * (HIGH_LR / LOW_LR) ** places[0], LOW_DECAY * (HIGH_DECAY / LOW_DECAY) ** places[1]
    )
    grid_trials += settings(grid_lrs.ravel(), grid_decays.ravel())
bests = {
    "grid": score(grid_trials).reshape(-1, BUDGET).max(axis=1),  # (6,): the best of each grid
    "random": trial_scores.reshape(-1, BUDGET).max(axis=1),  # (6,)
    "random, linear scale": score(linear_trials).reshape(-1, BUDGET).max(axis=1),  # (3,)
}
print(f"\n{f'best of {BUDGET} trials':24s}{'mean':>12s}{'worst':>12s}")
for name, best in bests.items():
    print(f"{name:24s}{best.mean():12.4f}{best.min():12.4f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
trial_lrs = [trial["lr"] for trial in trials]
trial_decays = [trial["decay"] for trial in trials]
points = left.scatter(trial_lrs, trial_decays, c=trial_scores, cmap="viridis", s=14)
left.plot(grid_lrs.ravel(), grid_decays.ravel(), "s", color="C3", fillstyle="none")
left.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="weight decay")
left.set_title("Random trials (dots) and one grid (squares)")
fig.colorbar(points, ax=left, label="validation accuracy")
right.semilogx(trial_lrs, trial_scores, "o", markersize=4)
right.axhline(trial_scores.max() - 0.02, color="0.7", linewidth=0.8, zorder=0)
good_rates = np.array(trial_lrs)[trial_scores > trial_scores.max() - 0.02]
right.set(xlabel="learning rate", ylabel="validation accuracy", title="Grey: two points below the best")
plt.show()

# %% [markdown]
# Here random trials and grids found equally good settings. The right panel shows why, since within two
# points of the best (the grey line) lie rates that differ by a factor of more than ten, and the lines of
# a grid are a factor of ten apart, so it cannot miss them. By the table random search pays if the good
# range is narrow, and it never loses much, so it is the usual choice. What does matter here is the
# scale, because on a linear scale nearly all trials have rates above one, and the best of sixteen is
# clearly worse.
#
# ## The winner has been lucky
#
# Whoever comes first in a choice may be good, or lucky, or both, and luck does not come back on other
# data. To see how much luck there is, we choose among sixteen runs of _one_ configuration, which differ
# in nothing but the seed, and take the best on validation rows. What is left of its advantage on rows
# that were not used for the choice?

# %%
N_EQUALS = 16
validation, others, _ = run([noisy] * (4 * N_EQUALS), np.arange(2000, 2000 + 4 * N_EQUALS))
winners = validation.reshape(-1, N_EQUALS).argmax(axis=1) + N_EQUALS * np.arange(4)  # four choices
print(
    f"winners on validation rows {validation[winners].mean():.3f}, on other rows {others[winners].mean():.3f}"
)
print(f"everybody on validation rows {validation.mean():.3f}, on other rows {others.mean():.3f}")
validation_winners, validation_all = validation[winners].mean(), validation.mean()
luck = (validation_winners - validation_all) - (others[winners].mean() - others.mean())
print(f"advantage that was luck: {luck:+.4f}")

# %% [markdown]
# A large part of the advantage was luck with the validation rows, and is gone on the others. (The rest
# may be real: the seed has also drawn the training rows and the start, so some networks may have become
# better.) A search over many trials selects for luck in the same way. So the eight best trials run once
# more with fresh seeds, still on validation rows, and only this second round decides.

# %%
finalists = np.argsort(-trial_scores)[:8]
rematch_seeds = list(range(3000, 3012))
rematch = run([trials[i] for i in finalists for _ in rematch_seeds], rematch_seeds * 8)[0]
rematch = rematch.reshape(8, len(rematch_seeds)).mean(axis=1)  # (96,) -> (8, 12) -> (8,)
print(f"{'finalist':12s}{'rate':>12s}{'decay':>12s}{'search':>12s}{'again':>12s}")
for place, (i, again) in enumerate(zip(finalists, rematch), 1):
    print(
        f"{place:<12d}{trials[i]['lr']:12.3g}{trials[i]['decay']:12.3g}{trial_scores[i]:12.4f}{again:12.4f}"
    )
recipe = trials[finalists[rematch.argmax()]]

# %% [markdown]
# ## What carries the recipe?
#
# The recipe has several ingredients now. An *ablation* takes one out at a time, leaves the rest, and
# compares on paired seeds. Five questions are asked at once, so each interval is one of 99 %, which keeps
# all five together at 95 %.

# %%
REMOVALS = {
    "no noise": {"noise": 0.0},
    "no momentum": {"momentum": 0.0},
    "no decay": {"decay": 0.0},
    "no annealing": {"anneal": 0.0},
    "the first rate": {"lr": plain["lr"]},
}
ablation_seeds = np.arange(1000, 1024)
full_scores = run([recipe] * 24, ablation_seeds)[0]  # (24,)
ablations = {}
print(f"{'recipe':20s}{full_scores.mean():12.4f}   gain of the recipe over it (99 %)")
for name, change in REMOVALS.items():
    without = run([{**recipe, **change}] * 24, ablation_seeds)[0]  # (24,)
    ablations[name] = paired_interval(full_scores, without, level=1 - 0.05 / len(REMOVALS))
    print(f"{name:20s}{without.mean():12.4f}   {ablations[name][0]:+.4f} to {ablations[name][1]:+.4f}")
not_shown = ", ".join(name for name, (low, high) in ablations.items() if low <= 0 <= high) or "none"

# %% [markdown]
# An ingredient whose interval holds zero is _not shown to matter_, which is not the same as shown not to
# matter: the interval also says how large an effect may have been missed. The report must not praise it.
# Noise seems to be worth less within the recipe than it was alone, but the two gains come from different
# seeds, and we have no interval for their difference. Perhaps weight decay does a part of its work; to
# find out would take another experiment, in which only these two are changed.
#
# ## A log that can be replayed, and a report
#
# A run that nobody can repeat is a story. So before the test we write down, one line of JSON for each
# run, what it depends on: the configuration, the seed, the sizes, a fingerprint of the data, the
# versions, the number of threads. (In a project the commit of the code belongs there, too.) Then we read
# the file back as a stranger would, run again, and demand the same bits. That holds on one machine's CPU;
# on another one, or on a GPU, sums may be added in another order.

# %%
final_seeds = list(range(5000, 5010))
setup = {
    "n_train": n_train,
    "n_validation": n_validation,
    "n_pool": n_pool,
    "batch_size": batch_size,
    "n_hidden": n_hidden,
    "n_steps": n_steps,
    "data": hashlib.sha256((HERE / "data" / "digits_8x8.csv").read_bytes()).hexdigest()[:12],
    "torch": torch.__version__,
    "numpy": np.__version__,
    "threads": torch.get_num_threads(),
}
with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "runs.jsonl"
    with open(log, "w", encoding="utf-8") as file:
        for name, config in (("plain", plain), ("recipe", recipe)):
            for seed in final_seeds:
                validation, _, test = run([config], [seed])
                record = {"name": name, "config": config, "seed": seed, "setup": setup}
                record |= {"validation": validation.item(), "test": test.item()}
                file.write(json.dumps(record) + "\n")
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

logged = records[-1]
replayed_validation, _, replayed_test = run([logged["config"]], [logged["seed"]])
print(f"logged   {logged['validation']} {logged['test']}")
print(f"replayed {replayed_validation.item()} {replayed_test.item()}")

# %% [markdown]
# And the report. It says what was asked, what was done, how sure we are, what was tried besides, and what
# we do not know. Every number in it is computed, none is typed. The test rows are looked at here, for the
# first and last time.

# %%
test_scores = {name: [r["test"] for r in records if r["name"] == name] for name in ("plain", "recipe")}
test_interval = paired_interval(test_scores["recipe"], test_scores["plain"])
report = f"""
Question.   Does noise on the pixels help a small network that learns digits from {n_train} examples?
Hypothesis. It raises the accuracy by more than {100 * HALF_WIDTH:.1f} points. A pilot of
            {len(pilot_seeds)} seeds set the number of seeds ({n_seeds}).
Result.     Gain on validation rows {100 * paired[0]:+.1f} to {100 * paired[1]:+.1f} points (95 %, paired).
Search.     {N_TRIALS} random trials of rate and decay, the best 8 run again with fresh seeds.
Ablation.   Not shown to matter (99 % each): {not_shown}.
Test, once. Recipe over plain {100 * test_interval[0]:+.1f} to {100 * test_interval[1]:+.1f} points,
            {len(final_seeds)} seeds.
Not known.  Other amounts of data, other networks, noise of other strengths.
"""
print(report)

# %% [markdown]
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert abs(paper_gains.std(ddof=1) - math.sqrt(1 / 3)) < 1e-12, "on paper the gains scatter by 0.58"
assert pilot_gains.min() < -0.005 and pilot_gains.max() > 0.02, (
    "single seeds of the pilot contradict each other"
)
assert 20 < n_seeds < 150, "the pilot asks for dozens of seeds"
assert paired[0] > HALF_WIDTH, "the hypothesis stands: the whole interval lies above half a point"
assert np.ptp(paired) < 0.8 * np.ptp(unpaired), "pairing makes the interval clearly narrower"
assert 0.05 < opposite < 0.4, "more than one seed in twenty says the opposite"
assert main_spread < pilot_spread, "the pilot overestimated the spread"
assert 0.03 < single_rate < 0.08, "a single idea without effect is a discovery about once in twenty times"
assert 0.3 < any_found[0.95] < 0.5, "among ten such ideas there is one in about four cases of ten"
assert min(any_found.values()) < 0.08, "Bonferroni's intervals keep all ten together at about one in twenty"
assert abs(bests["random"].mean() - bests["grid"].mean()) < 0.01, (
    "random trials and grids are equally good here"
)
assert good_rates.max() > 10 * good_rates.min(), "good rates span more than a factor of ten"
assert bests["random"].mean() > bests["random, linear scale"].mean() + 0.02, "a linear scale is clearly worse"
advantage = validation_winners - validation_all
assert luck > 0.3 * advantage, "a large part of the winners' advantage was luck"
assert rematch[0] < trial_scores[finalists[0]], "the winner of the search does worse when it runs again"
assert any(low > 0 for low, _ in ablations.values()), "some ingredient is shown to matter"
assert np.mean(ablations["no noise"]) < np.mean(paired), "noise is worth less within the recipe than alone"
assert logged["validation"] == replayed_validation.item(), (
    "the replayed run gives the same validation accuracy"
)
assert logged["test"] == replayed_test.item(), "and the same test accuracy"
assert test_interval[0] > 0, "on test rows the recipe is better than the plain configuration"

# %% [markdown]
# ## Going further
#
# How good the best of $k$ trials is to be expected: a way to report a search, which nothing later needs.
#
# ### The best of k
#
# Let the trials' scores in order be $v_1 \le \dots \le v_N$. The best of $k$ that are drawn from them is
# at most $v_i$ with probability $(i/N)^k$, so the mean of the best over many draws is
#
# $$\operatorname{mean}(\text{best of } k) = \sum_{i=1}^N v_i \left[\left(\frac iN\right)^k -
#   \left(\frac{i-1}N\right)^k\right].$$
#
# We compute it from the 96 trials of the search and compare it with fresh trials: groups of $k$, and the
# best of each.


# %%
def expected_best(values, k):
    """Expected maximum of k draws, with replacement, from values (N,); Dodge et al. 2019.

    Raises ValueError if there are no values or no draws.
    """
    if k < 1 or len(values) == 0:
        raise ValueError(f"no best of {k} draws from {len(values)} values")
    n = len(values)
    weights = np.diff((np.arange(n + 1) / n) ** k)  # (N,): the chance that the best is the i-th
    return float(np.sort(values) @ weights)


def standard_error(values, k, rng, n_times=200):
    """Standard error of `expected_best`, from resampling the values."""
    return np.std([expected_best(rng.choice(values, len(values)), k) for _ in range(n_times)])


fresh_trials = settings(
    log_uniform(LOW_LR, HIGH_LR, N_TRIALS, rng), log_uniform(LOW_DECAY, HIGH_DECAY, N_TRIALS, rng)
)
fresh_scores = score(fresh_trials)  # (96,)
ks = (1, 2, 4, 8, 16)
expected = []
measured = []
errors = []
print(f"{'trials':8s}{'expected':>12s}{'measured':>12s}{'error':>12s}")
for k in ks:
    group_bests = fresh_scores.reshape(-1, k).max(axis=1)  # (N_TRIALS / k,)
    expected.append(expected_best(trial_scores, k))
    measured.append(group_bests.mean())
    own_error = group_bests.std(ddof=1) / math.sqrt(len(group_bests))
    errors.append(math.hypot(own_error, standard_error(trial_scores, k, rng)))
    print(f"{k:<8d}{expected[-1]:12.4f}{measured[-1]:12.4f}{errors[-1]:12.4f}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(
    range(1, 33), [expected_best(trial_scores, k) for k in range(1, 33)], "-", color="C1", label="expected"
)
ax.errorbar(ks, measured, yerr=2 * np.array(errors), fmt="o", label="fresh trials, two errors")
ax.set(xscale="log", xlabel="trials", ylabel="best validation accuracy", title="The best of k random trials")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# The formula and the fresh trials agree. The first few trials gain most, and after eight there is little
# left. A report of a search can say so: not "our best", but "the best of so many, and what fewer would
# have given".

# %%
assert np.all(np.abs(np.subtract(expected, measured)) < 4 * np.array(errors)), (
    "the formula agrees with fresh trials"
)
assert max(errors) < 0.05, "and the errors are small"
assert expected[3] - expected[0] > 5 * (expected[4] - expected[3]), "the first few trials gain most"

# %% [markdown]
# ## What to remember
#
# - A hypothesis has a number in it and can fail. Change one thing at a time.
# - One seed tells little. Pair the seeds, let a pilot that was not picked tell how many, and report the
#   interval of the difference.
# - With $k$ comparisons, demand $5\,\% / k$ of each, and say how many were made.
# - Search on a log scale; random trials pay if the good range is narrow. The winner has been lucky, so
#   let it run again.
# - Choose on validation, test once, and keep a log that can be replayed.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `NOISE = 0.1`. How many seeds does the pilot ask for now, and does the hypothesis survive? Look
#    at the first printed intervals.
# 2. Give the two sides different seeds: in the line of `noisy_scores` replace `main_seeds` by `main_seeds
#    + 500`. What becomes of the paired interval? Look at the first figure.
# 3. From a blank cell at the end: choose the best of 64 equals instead of 16, on validation rows, and
#    measure again how much of its advantage was luck. Compare with the number above.
#
# ## Sources
#
# - X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021: what a
#   seed decides. Reproduced: "single seeds of the pilot contradict each other".
# - J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 2012, section 2. (Here
#   random search and grids tie.)
# - J. Dodge et al., "Show your work: improved reporting of experimental results", EMNLP 2019, section 3.
#   Reproduced: "the formula agrees with fresh trials".
# - C. Bonferroni's correction: e.g. R. G. Miller, _Simultaneous statistical inference_, 1981, section 1.
# - M. Abramowitz, I. Stegun, _Handbook of mathematical functions_, 1964, formula 26.7.5.
# - C. Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data, CC BY 4.0.
