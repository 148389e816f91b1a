# %% [markdown]
# # 7.2 Momentum and Adam: what to do with yesterday's gradients
#
# Gradient descent has no memory: at every step it trusts the slope under its feet and nothing else. A
# ball rolling down a valley remembers where it was going, and a careful hiker takes short steps where the
# ground has been rough. Every optimizer of this lesson is one of these two ideas, or both.
#
# **You will build** SGD, momentum, Nesterov, AdaGrad, RMSProp, Adam and AdamW in the same shape, check
# each against `torch.optim`, and find out by experiment when they help. **You need** the loss surface
# (7.1) and intervals for a difference (3.4).

# %%
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
# *Momentum* keeps a velocity: a share $\beta$ of the old one, plus the new gradient. Under a steady
# gradient of $1$ and $\beta = \frac12$ the velocity goes $1$, then $\frac12 + 1 = 1.5$, then $1.75$, and
# it would end at $1/(1-\beta) = 2$. Under a gradient that flips, $1, -1, 1, -1$, it ends between
# $\pm\frac23$: what keeps changing its mind is damped.

# %%
for name, gradients in (("steady", [1.0] * 8), ("flipping", [1.0, -1.0] * 4)):
    velocity, history = 0.0, []
    for g in gradients:
        velocity = 0.5 * velocity + g
        history.append(velocity)
    print(f"{name:10s}" + "".join(f"{v:8.3f}" for v in history))
    assert abs(abs(velocity) - (2.0 if name == "steady" else 2 / 3)) < 0.02

# %% [markdown]
# ## A rule and what it remembers
#
# Every optimizer here is a function that changes one array `w` in place, given its gradient `g` and a
# dictionary `state` to keep notes in. The first one is SGD. *Heavy-ball* momentum steps along the
# velocity; *Nesterov* momentum adds the velocity's next share before it is due. *Dampening*, mostly zero,
# weakens the new gradient, and *weight decay* adds the slope of a small price on large weights (lesson
# 8.2).
#
# $$v \leftarrow \beta v + (1 - \text{dampening})\, g, \qquad
#   w \leftarrow w - \eta\, v \quad\text{or}\quad w \leftarrow w - \eta\,(g + \beta v)$$


# %%
def sgd(w, g, state, lr, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0):
    """One step of (stochastic) gradient descent on w, in place. The options are those of torch.optim.SGD."""
    if weight_decay:
        g = g + weight_decay * w
    if momentum:  # the first gradient counts in full, as in PyTorch
        velocity = momentum * state["velocity"] + (1 - dampening) * g if "velocity" in state else g
        state["velocity"] = velocity
        g = g + momentum * velocity if nesterov else velocity
    w -= lr * g


# %% [markdown]
# The bookkeeping is the same for all rules: which arrays to train, in which *parameter groups* with which
# options, and one `state` for each array. NumPy would stretch a gradient of the wrong shape to fit, so we
# look first.


# %%
class Optimizer:
    """Applies one rule to groups of arrays.

    groups: dictionaries with a list under "params" and options of their own; defaults: options for all.
    """

    def __init__(self, rule, groups, **defaults):
        self.rule = rule
        self.groups = [{**defaults, **group} for group in groups]
        self.states = [[{} for _ in group["params"]] for group in self.groups]

    def step(self, grads):
        """grads: one array a parameter, in the groups' order. Raises ValueError where shapes differ."""
        remaining = iter(grads)
        for group, states in zip(self.groups, self.states):
            options = {name: value for name, value in group.items() if name != "params"}
            for w, state in zip(group["params"], states):
                g = next(remaining)
                if g.shape != w.shape:
                    raise ValueError(f"parameter has shape {w.shape} but its gradient {g.shape}")
                self.rule(w, g, state, **options)


# %% [markdown]
# ## Steps that fit the ground
#
# A second idea: divide each coordinate's step by how large its gradients have been. *AdaGrad* adds up
# their squares, so its steps only ever shrink. *RMSProp* forgets: it keeps a running mean. The tiny
# $\varepsilon$ keeps the division from zero.
#
# $$s \leftarrow s + g^2 \quad\text{or}\quad s \leftarrow \alpha s + (1 - \alpha) g^2, \qquad
#   w \leftarrow w - \eta\, \frac{g}{\sqrt{s} + \varepsilon}$$


# %%
def adagrad(w, g, state, lr, eps=1e-10, weight_decay=0.0):
    """One step of AdaGrad on w, in place; Duchi, Hazan and Singer 2011."""
    if weight_decay:
        g = g + weight_decay * w
    state["squares"] = state.get("squares", 0.0) + g * g
    w -= lr * g / (state["squares"] ** 0.5 + eps)


def rmsprop(w, g, state, lr, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
    """One step of RMSProp on w, in place; Tieleman and Hinton 2012."""
    if weight_decay:
        g = g + weight_decay * w
    state["squares"] = alpha * state.get("squares", 0.0) + (1 - alpha) * (g * g)
    g = g / (state["squares"] ** 0.5 + eps)
    if momentum:
        g = state["velocity"] = momentum * state.get("velocity", 0.0) + g
    w -= lr * g


# %% [markdown]
# ## Both ideas: Adam
#
# *Adam* keeps a running mean $m$ of gradients and another $s$ of their squares. Both start at zero and
# are too small at first, by the factors $1 - \beta_1^t$ and $1 - \beta_2^t$. Dividing these out is the
# *bias correction*.
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad s \leftarrow \beta_2 s + (1 - \beta_2) g^2, \qquad
#   w \leftarrow w - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \varepsilon}$$


# %%
def adam(w, g, state, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, correct=True):
    """One step of Adam on w, in place; Kingma and Ba 2015. `correct=False` leaves the bias in."""
    if weight_decay:
        g = g + weight_decay * w
    t = state["t"] = state.get("t", 0) + 1
    mean = state["mean"] = betas[0] * state.get("mean", 0.0) + (1 - betas[0]) * g
    squares = state["squares"] = betas[1] * state.get("squares", 0.0) + (1 - betas[1]) * (g * g)
    if correct:
        mean, squares = mean / (1 - betas[0] ** t), squares / (1 - betas[1] ** t)
    w -= lr * mean / (squares**0.5 + eps)


def adamw(w, g, state, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    """Adam whose weight decay does not pass through the division; Loshchilov and Hutter 2019."""
    w *= 1 - lr * weight_decay
    adam(w, g, state, lr, betas, eps)


# %% [markdown]
# The first step is worth a look: $m/(1-\beta_1) = g$ and $s/(1-\beta_2) = g^2$, so it is $\eta\, g / (|g|
# + \varepsilon)$. It has the length $\eta$ whether the gradient is a millionth or a million; only one as
# small as $\varepsilon$ itself gets less. Without the correction the two biases do not cancel: steps begin
# several times too long.

# %%
g = np.array([1e-9, -1e-6, 0.5, -1e6])
w = np.zeros(4)
adam(w, g, {}, lr=0.1)
print("first steps", w)
np.testing.assert_allclose(w, -0.1 * g / (np.abs(g) + 1e-8), rtol=1e-10)

step_lengths = {}
for correct in (True, False):
    w, state, positions = np.zeros(1), {}, [0.0]
    for _ in range(3000):
        adam(w, np.ones(1), state, lr=1.0, correct=correct)
        positions.append(w.item())
    step_lengths[correct] = -np.diff(positions)
longest = step_lengths[False].max()
print(f"first step without correction {step_lengths[False][0]:.3f}, longest {longest:.2f}")
assert abs(step_lengths[False][0] - 0.1 / np.sqrt(0.001)) < 1e-6 and longest > 6
np.testing.assert_allclose(step_lengths[True], 1, rtol=1e-6)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
steps = np.arange(1, 3001)
ax.semilogx(steps, step_lengths[True], "-", label="with bias correction")
ax.semilogx(steps, step_lengths[False], "--", label="without")
ax.set(xlabel="step", ylabel="step length / learning rate", title="Uncorrected, Adam begins with giant steps")
ax.legend()
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# Our options carry the library's names, so one dictionary serves both. Two groups, one with a rate of its
# own, the same random gradients, everything in float64: the weights must agree after every step.

# %%
cases = {
    "SGD": (sgd, torch.optim.SGD, {"weight_decay": 0.1}),
    "heavy ball": (sgd, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    "dampened": (sgd, torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    "Nesterov": (sgd, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "AdaGrad": (adagrad, torch.optim.Adagrad, {"weight_decay": 0.1}),
    "RMSProp": (rmsprop, torch.optim.RMSprop, {"weight_decay": 0.1}),
    "RMSProp, momentum": (rmsprop, torch.optim.RMSprop, {"momentum": 0.9, "weight_decay": 0.1}),
    "Adam": (adam, torch.optim.Adam, {"weight_decay": 0.1}),
    "AdamW": (adamw, torch.optim.AdamW, {"weight_decay": 0.1}),
}


def groups_of(params):
    """Two parameter groups: the first array with the default rate, the others with a smaller one."""
    return [{"params": params[:1]}, {"params": params[1:], "lr": 0.003}]


def compare(rule, torch_class, options, rng, n_steps=100):
    """Largest difference of any weight at any step; then our states and the library's."""
    ours = [rng.normal(size=shape) for shape in ((7, 5), (5,), (1,))]
    theirs = [torch.from_numpy(w.copy()) for w in ours]
    optimizer = Optimizer(rule, groups_of(ours), lr=0.01, **options)
    torch_optimizer = torch_class(groups_of(theirs), lr=0.01, **options)
    largest = 0.0
    for _ in range(n_steps):
        grads = [rng.normal(size=w.shape) for w in ours]
        optimizer.step(grads)
        for w, g in zip(theirs, grads):
            w.grad = torch.from_numpy(g)
        torch_optimizer.step()
        largest = max(largest, *(np.abs(a - b.numpy()).max() for a, b in zip(ours, theirs)))
    return largest, optimizer.states[0][0], torch_optimizer.state[theirs[0]]


# %% [markdown]
# The states tell what each costs in memory: how many numbers an optimizer keeps for every weight. A
# network trained with Adam occupies four copies of itself: weights, gradients and two notes.

# %%
print(f"{'rule':20s}{'difference':>12s}{'kept':>12s}{'by PyTorch':>12s}")
kept = {}
for name, (rule, torch_class, options) in cases.items():
    largest, state, torch_state = compare(rule, torch_class, options, rng)
    kept[name] = sum(np.size(note) == 35 for note in state.values())
    torch_kept = sum(torch.is_tensor(note) and note.numel() == 35 for note in torch_state.values())
    print(f"{name:20s}{largest:12.1e}{kept[name]:12d}{torch_kept:12d}")
    assert largest < 1e-12 and kept[name] == torch_kept
assert (kept["SGD"], kept["heavy ball"], kept["Adam"]) == (0, 1, 2)

# %% [markdown]
# AdamW exists because a penalty added to the gradient is divided along with it: weights with loud
# gradients hardly decay. We give two weights pure noise, one quiet and one loud, and look at what decay
# is left.

# %%
left_over = {}
for name, rule in (("Adam", adam), ("AdamW", adamw)):
    w, state = np.ones((2, 1000)), {}  # 1000 copies of both, to average the noise away
    for _ in range(1000):
        g = np.array([[0.01], [1.0]]) * rng.normal(size=w.shape)  # (2, 1) * (2, 1000) -> (2, 1000)
        rule(w, g, state, lr=1e-3, weight_decay=0.1)
    left_over[name] = w.mean(axis=1)  # (2,)
    print(f"{name:8s}of a weight of 1 is left: quiet {left_over[name][0]:.3f}, loud {left_over[name][1]:.3f}")
assert left_over["Adam"][1] > left_over["Adam"][0] + 0.05
np.testing.assert_allclose(left_over["AdamW"], 0.9999**1000, atol=0.01)

# %% [markdown]
# ## In the valley
#
# The valley of lesson 7.1, flat along one axis and steep along the other, and the same valley turned by
# 45 degrees. Each rule gets the best rate of a fine grid, chosen by the loss at the end of the walk, so
# that none loses by a bad setting.

# %%
kappa, n_steps = 50.0, 60
turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)  # 45 degrees
bowls = {"along the axes": np.eye(2), "turned": turn}
rules = {
    "SGD": (sgd, {}),
    "heavy ball": (sgd, {"momentum": 0.8}),
    "Nesterov": (sgd, {"momentum": 0.8, "nesterov": True}),
    "AdaGrad": (adagrad, {}),
    "RMSProp": (rmsprop, {"alpha": 0.9}),
    "Adam": (adam, {"betas": (0.8, 0.95)}),
}


def valley_path(rule, options, axes, lr):
    """Positions in the valley whose steep axis is axes[:, 1], from one start: (n_steps + 1, 2)."""
    hessian = axes @ np.diag([1.0, kappa]) @ axes.T  # (2, 2)
    w = axes @ np.array([10.0, 1.0])  # (2, 2) @ (2,) -> (2,)
    path, state = [w.copy()], {}
    for _ in range(n_steps):
        rule(w, hessian @ w, state, lr, **options)  # (2, 2) @ (2,) -> (2,)
        path.append(w.copy())
    return np.array(path)


def valley_loss(path, axes):
    """Half of u² + κ v² in the valley's own coordinates."""
    u, v = (path @ axes).T  # (n, 2) @ (2, 2) -> (n, 2)
    return (u * u + kappa * v * v) / 2


# %%
grid = np.geomspace(1e-3, 3, 71)
paths, losses = {}, {}
print(f"{'loss after the walk':20s}" + "".join(f"{name:>16s}" for name in bowls))
for name, (rule, options) in rules.items():
    for bowl, axes in bowls.items():
        tries = [valley_path(rule, options, axes, lr) for lr in grid]
        ends = [valley_loss(path, axes)[-1] for path in tries]
        paths[name, bowl] = tries[int(np.nanargmin(ends))]
        losses[name, bowl] = np.nanmin(ends)
    print(f"{name:20s}" + "".join(f"{losses[name, bowl]:16.2g}" for bowl in bowls))

# %% [markdown]
# Turning the valley changes nothing for SGD and momentum. For the rules that divide coordinate by
# coordinate it changes everything: along the axes AdaGrad turns the narrow valley into a round bowl,
# turned it loses to plain SGD. They cure bad *scaling of coordinates*, and momentum softens bad
# conditioning of any kind.

# %%
for name in ("SGD", "heavy ball", "Nesterov"):
    np.testing.assert_allclose(losses[name, "turned"], losses[name, "along the axes"], rtol=1e-6)
for name in ("AdaGrad", "RMSProp", "Adam"):
    assert losses[name, "turned"] > 3 * losses[name, "along the axes"]
assert losses["AdaGrad", "turned"] > losses["SGD", "turned"] > 100 * losses["heavy ball", "turned"]

shown = ("SGD", "heavy ball", "AdaGrad", "Adam")
fig, axs = plt.subplots(2, 4, figsize=(14, 6), layout="constrained", sharex="row", sharey="row")
us, vs = np.meshgrid(np.linspace(-12, 12, 120), np.linspace(-12, 12, 120))
for row, (bowl, axes) in zip(axs, bowls.items()):
    heights = valley_loss(np.stack([us, vs], axis=-1).reshape(-1, 2), axes).reshape(us.shape)  # (120, 120)
    for ax, name in zip(row, shown):
        ax.contour(us, vs, np.sqrt(heights), levels=12, colors="0.8", linewidths=0.8)
        ax.plot(*paths[name, bowl].T, "o-", color="C1", markersize=3, linewidth=1)
        ax.plot(0, 0, "k+", markersize=12)
        ax.set(title=f"{name}: loss {losses[name, bowl]:.2g}", xlim=(-3, 12))
    row[0].set(ylabel=f"valley {bowl}", ylim=(-4, 4) if bowl != "turned" else (-3, 12))
fig.suptitle("Turning the valley hurts only the rules that divide")
plt.show()

# %% [markdown]
# ## Many networks at once
#
# Now a real network. Questions about optimizers need many runs, so we train several copies side by side,
# each with its own starting weights, batches and learning rate: their arrays share a leading axis $S$.
# The rules need no change, because they use nothing but arithmetic, on tensors too. Copies with the same
# seed see the same start and the same batches.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

x_all, y_all = torch.from_numpy(images).float(), torch.from_numpy(labels)
n_train, n_validation, batch_size, width = 1000, 300, 32, 32


def scores(params, x):
    """x: (S, B, 64) images for S networks; params: (S, H, 64), (S, 1, H), (S, 10, H), (S, 1, 10)."""
    weight1, bias1, weight2, bias2 = params
    hidden = (x @ weight1.mT + bias1).relu()  # (S, B, 64) @ (S, 64, H) -> (S, B, H)
    return hidden @ weight2.mT + bias2  # (S, B, H) @ (S, H, 10) -> (S, B, 10)


def new_networks(generators):
    """He-initialised weights and zero biases, one network a generator."""
    weight1 = torch.stack([torch.randn(width, 64, generator=g) for g in generators]) * (2 / 64) ** 0.5
    weight2 = torch.stack([torch.randn(10, width, generator=g) for g in generators]) * (1 / width) ** 0.5
    n = len(generators)
    return [weight1, torch.zeros(n, 1, width), weight2, torch.zeros(n, 1, 10)]


# %% [markdown]
# The loss is summed over networks and averaged over each batch, so every network gets the gradient of its
# own mean. Training, validation and test rows are drawn anew for each seed.


# %%
def train(rule, options, lrs, seeds, pixel_scale=1.0, n_steps=400):
    """Train a network for each pair of lrs and seeds (as many of either).

    Returns accuracy on validation and test rows, each (S,), and the batch losses (n_steps, S).
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    params = [w.requires_grad_() for w in new_networks(generators)]
    order = torch.stack([torch.randperm(len(x_all), generator=g) for g in generators])  # (S, 1797)
    rates = torch.tensor(lrs, dtype=torch.float32).reshape(-1, 1, 1)  # (S, 1, 1)
    optimizer = Optimizer(rule, [{"params": params}], lr=rates, **options)
    history = []
    for _ in range(n_steps):
        # (S, B)
        picks = torch.stack([torch.randint(n_train, (batch_size,), generator=g) for g in generators])
        rows = order.gather(1, picks)  # (S, B)
        out = scores(params, x_all[rows] * pixel_scale).mT  # (S, B, 10) -> (S, 10, B): classes second
        losses = F.cross_entropy(out, y_all[rows], reduction="none").mean(dim=1)  # (S,)
        grads = torch.autograd.grad(losses.sum(), params)
        with torch.no_grad():
            optimizer.step(grads)
        history.append(losses.detach())
    split = (order[:, n_train : n_train + n_validation], order[:, n_train + n_validation :])
    with torch.no_grad():
        correct = [scores(params, x_all[rows] * pixel_scale).argmax(dim=-1) == y_all[rows] for rows in split]
    return *(c.double().mean(dim=1).numpy() for c in correct), torch.stack(history).numpy()


# %% [markdown]
# First the curves. All six rules start from the same weights with the same batches, each at the best of a
# grid of rates, judged by the mean loss at the end.

# %%
curves = {}
for name, (rule, options) in rules.items():
    lrs = np.geomspace(1e-3, 1, 7)
    history = train(rule, options, lrs, [0] * 7)[2]  # (n_steps, 7)
    ends = np.nan_to_num(history[-50:].mean(axis=0), nan=np.inf)
    curves[name] = history[:, ends.argmin()]
    print(f"{name:20s}best rate {lrs[ends.argmin()]:6.3f}   last loss {ends.min():.4f}")
assert max(curve[-50:].mean() for curve in curves.values()) < 0.2

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, curve), style in zip(curves.items(), ("-", "--", "-.", ":", "-", "--")):
    ax.semilogy(np.convolve(curve, np.ones(20) / 20, "valid"), style, label=name)
ax.set(xlabel="step", ylabel="batch loss (nats), mean of 20", title="At its own best rate, every rule trains")
ax.legend()
plt.show()

# %% [markdown]
# ## When does Adam help?
#
# A fair question needs tuned rates for both sides. We take heavy-ball SGD and Adam with their usual
# settings and choose each one's rate on validation rows, for two versions of the digits: as they are, and
# with every pixel multiplied by a number of its own between $0.1$ and $10$, as if each had been measured
# in another unit.

# %%
contest = {"SGD": (sgd, {"momentum": 0.9}, 3e-3), "Adam": (adam, {}, 1e-3)}
versions = {"as they are": 1.0, "badly scaled": torch.from_numpy(10 ** rng.uniform(-1, 1, size=64)).float()}
tuned = {}
for version, pixel_scale in versions.items():
    for name, (rule, options, lowest) in contest.items():
        lrs = lowest * np.geomspace(1, 100, 5)
        validation, _, _ = train(rule, options, np.repeat(lrs, 4), [100, 101, 102, 103] * 5, pixel_scale)
        validation = validation.reshape(5, 4).mean(axis=1)  # (rates, seeds) -> (5,)
        tuned[version, name] = lrs[validation.argmax()]
        print(f"{version:14s}{name:6s}" + "".join(f"{lr:8.3g}: {a:.3f}" for lr, a in zip(lrs, validation)))

# %% [markdown]
# Then both run on fresh seeds. Seed by seed they share start, rows and batches, so we look at the *paired*
# difference in test accuracy, with a 95 % interval: mean $\pm\, t \cdot s / \sqrt n$. The last factor, $s
# / \sqrt n$, is the standard error (2.8). *Student's* $t$ comes from a table: about two, and more for few
# seeds, which know $s$ badly. It goes by $n - 1$, the *degrees of freedom*.

# %%
seeds, t95 = list(range(20)), 2.093  # Student's t for 19 degrees of freedom
accuracies, intervals = {}, {}
for version, pixel_scale in versions.items():
    for name, (rule, options, _) in contest.items():
        lrs = [tuned[version, name]] * len(seeds)
        accuracies[version, name] = train(rule, options, lrs, seeds, pixel_scale)[1]  # (20,)
    gain = accuracies[version, "Adam"] - accuracies[version, "SGD"]  # (20,)
    half = t95 * gain.std(ddof=1) / np.sqrt(len(seeds))
    intervals[version] = (gain.mean() - half, gain.mean() + half)
    means = [accuracies[version, name].mean() for name in contest]
    print(f"{version:14s}SGD {means[0]:.3f}   Adam {means[1]:.3f}   ", end="")
    print("Adam gains {:+.3f} to {:+.3f}".format(*intervals[version]))
assert intervals["badly scaled"][0] > 0.02
assert abs(np.mean(intervals["as they are"])) < 0.01

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, version, finding in zip((left, right), versions, ("no difference worth having", "Adam wins")):
    pairs = np.array([accuracies[version, name] for name in contest])  # (2, 20)
    ax.plot([0, 1], pairs, "-", color="0.7", linewidth=0.8, zorder=0)
    for i, marker in enumerate("o^"):
        ax.plot(np.full(len(seeds), i), pairs[i], marker, color="0.2", fillstyle="none")
    ax.plot([0, 1], pairs.mean(axis=1), "s-", color="C1", label="mean of all seeds")
    ax.set(xticks=[0, 1], xticklabels=list(contest), xlim=(-0.4, 1.4), title=f"Pixels {version}: {finding}")
left.set_ylabel("test accuracy, a line a seed")
left.legend(loc="lower left")
plt.show()

# %% [markdown]
# Adam repaired what dividing each pixel by its spread would have repaired too. On inputs that are scaled
# well, tuned SGD with momentum does as well on unseen rows, and keeps half as many notes. Where the scales
# are bad, Adam earns its memory.
#
# ## What to remember
#
# - Momentum averages over time: steady slopes add up to $1/(1-\beta)$, flips cancel.
# - AdaGrad, RMSProp and Adam divide each coordinate by the size of its gradients: they repair bad scaling
#   of coordinates, and only that.
# - Adam's first step has the length of the learning rate, whatever the gradient. Bias correction is what
#   makes it so.
# - Compare optimizers with both rates tuned, on the same seeds, by the interval of the difference.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Set `eps` of Adam to 1. Which optimizer does it turn into when gradients are small?
# 2. Standardise the badly scaled pixels by their own spread over the training rows. What is left of
#    Adam's gain?
# 3. Run the valley with `momentum` 0.5 and 0.95. Which suits 60 steps, and which would suit 600?
#
# ## Sources
#
# - B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964: heavy ball.
# - I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
# - J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 2011, section 1.1.
# - T. Tieleman, G. Hinton, *Neural networks for machine learning*, lecture 6.5, 2012: RMSProp.
# - D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1 and section 3.
# - I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
# - A. Wilson et al., "The marginal value of adaptive gradient methods", NeurIPS 2017: tuned SGD against
#   Adam.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data, CC BY 4.0.
