# %% [markdown]
# # 8.2 Weight decay: a spring on every weight
#
# Tie every weight to zero with a spring. The data pulls the other way, and each weight comes to rest where
# the two forces balance. A weight that the data needs badly hardly moves; one that only fits the noise has
# little to hold on to and slides back. That is *weight decay*, the oldest cure for learning by heart and
# the one that nearly every large network still gets.
#
# **You will build** such a spring and its gradient, see why its picture is a ball, measure how far each
# direction shrinks, and find out why Adam needs a decay of its own. **You need** gradients, the Hessian
# and its eigenvectors (2.4), Adam (7.2) and dropout's illness (8.1).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

# %% [markdown]
# ## On paper first
#
# One weight, and a loss that wants it at $4$ with curvature $3$: $L(w) = \frac32 (w - 4)^2$. The spring
# adds $\frac{\lambda}{2} w^2$ with $\lambda = 1$. Set the slope to zero: $3(w - 4) + w = 0$, so $w = 3$.
# With curvature $\alpha$ and optimum $w^*$ the same line reads (lesson 2.5 wrote $\lambda$ for a
# curvature; here it is the strength of the spring)
#
# $$w_\lambda = \frac{\alpha}{\alpha + \lambda}\, w^* .$$
#
# The weight loses the share $\lambda / (\lambda + \alpha)$: little where the data pulls hard, nearly all
# where it does not.

# %%
w = 0.0
for _ in range(200):
    w -= 0.1 * (3 * (w - 4) + 1 * w)
print(f"gradient descent with the spring stops at {w:.6f}")
assert abs(w - 3) < 1e-12

# %% [markdown]
# ## From scratch
#
# For a network, $\lambda$ times half the sum of all squared weights joins the loss. This is the *L2
# penalty*, and its gradient is $\lambda$ times the weight itself:
#
# $$L_\lambda(w) = L(w) + \frac{\lambda}{2} \sum_i w_i^2, \qquad
#   w \leftarrow w - \eta \Big( \frac{\partial L}{\partial w} + \lambda w \Big)
#   = (1 - \eta\lambda)\, w - \eta\, \frac{\partial L}{\partial w} .$$
#
# Read on the right, it is a decay: every step first shrinks each weight by a fixed percentage.


# %%
def l2_penalty(weights, strength):
    """strength / 2 times the sum of squares over a list of arrays or tensors."""
    return strength / 2 * sum((weight * weight).sum() for weight in weights)


def decayed_step(weight, grad, learning_rate, strength):
    """One step of gradient descent with weight decay, from the gradient of the loss alone."""
    return (1 - learning_rate * strength) * weight - learning_rate * grad


weight, nudge = rng.normal(size=(3, 2)), 1e-6
slopes = np.zeros_like(weight)
for place in np.ndindex(weight.shape):
    step = np.zeros_like(weight)
    step[place] = nudge
    slopes[place] = (l2_penalty([weight + step], 0.7) - l2_penalty([weight - step], 0.7)) / (2 * nudge)
largest = np.abs(slopes - 0.7 * weight).max()
print(f"largest difference between the measured slope and strength times weight: {largest:.1e}")
assert largest < 1e-8

# %% [markdown]
# ## The same in PyTorch
#
# `torch.optim.SGD` has the decay built in. Two copies of one network see the same batches of digits. One
# has the penalty in its loss, the other `weight_decay`. At the end they must be the same network.

# %%
strength, learning_rate = 0.01, 0.1
x, y = torch.from_numpy(images), torch.from_numpy(labels)


def small_network(width=64, dtype=torch.float64):
    """Digits to ten logits through one hidden layer."""
    return nn.Sequential(nn.Linear(64, width, dtype=dtype), nn.ReLU(), nn.Linear(width, 10, dtype=dtype))


penalised, decayed = small_network(), small_network()
decayed.load_state_dict(penalised.state_dict())
plain_sgd = torch.optim.SGD(penalised.parameters(), lr=learning_rate)
decaying_sgd = torch.optim.SGD(decayed.parameters(), lr=learning_rate, weight_decay=strength)
for _ in range(100):
    batch = torch.randint(1000, (50,))
    loss = F.cross_entropy(penalised(x[batch]), y[batch]) + l2_penalty(penalised.parameters(), strength)
    plain_sgd.zero_grad()
    loss.backward()
    plain_sgd.step()
    decaying_sgd.zero_grad()
    F.cross_entropy(decayed(x[batch]), y[batch]).backward()
    decaying_sgd.step()

pairs = list(zip(penalised.parameters(), decayed.parameters()))
largest = max((ours - theirs).abs().max().item() for ours, theirs in pairs)
print(f"largest difference after 100 steps {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# ## The picture: a hill of data, a ball of springs
#
# Minimising loss plus penalty is the same as minimising the loss inside a ball: for every $\lambda$ there
# is a radius. The answer is where the lowest contour that reaches the ball touches it. *L1*, the sum of
# absolute values, swaps the ball for a diamond. A diamond has corners, the corners lie on the axes, and
# contours like to touch corners: there, some weights are exactly zero.
#
# L1 has a kink at zero, so instead of following its slope one shrinks towards zero by a fixed amount after
# each gradient step, and stops there. This is *soft thresholding*.


# %%
def soft_threshold(weight, amount):
    """Every entry moved towards zero by `amount`, but not past it."""
    return np.sign(weight) * np.maximum(np.abs(weight) - amount, 0)


def minimise_l2(hessian, optimum, strength):
    """The minimum of a quadratic around `optimum` (d,) with Hessian (d, d), plus the L2 penalty."""
    d = len(optimum)
    return np.linalg.solve(hessian + strength * np.eye(d), hessian @ optimum)  # (d, d) @ (d,) -> (d,)


def minimise_l1(hessian, optimum, strength, n_steps=2000):
    """The same with strength times the sum of absolute values instead: gradient step, then threshold."""
    step = 1 / np.linalg.eigvalsh(hessian)[-1]
    weight = np.zeros_like(optimum)
    for _ in range(n_steps):
        grad = hessian @ (weight - optimum)  # (d, d) @ (d,) -> (d,)
        weight = soft_threshold(weight - step * grad, step * strength)
    return weight


hessian = np.array([[2.0, 0.9], [0.9, 1.0]])
optimum = np.array([2.0, 0.8])
strengths = np.concatenate([[0], np.geomspace(0.01, 30, 60)])
paths = {
    "L2": np.array([minimise_l2(hessian, optimum, s) for s in strengths]),  # (61, 2)
    "L1": np.array([minimise_l1(hessian, optimum, s) for s in strengths]),  # (61, 2)
}
zeros = {name: int(np.sum((path[:, 1] == 0) & (path[:, 0] != 0))) for name, path in paths.items()}
print("solutions with the second weight exactly zero, and not the first:", zeros)
assert zeros["L2"] == 0 < zeros["L1"]

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
w1, w2 = np.meshgrid(np.linspace(-2.1, 3.4, 120), np.linspace(-2.1, 2.1, 100))  # each (100, 120)
offset = np.stack([w1, w2], axis=-1) - optimum  # (100, 120, 2)
heights = 0.5 * np.einsum("...i,ij,...j->...", offset, hessian, offset)  # (100, 120)
angle = np.linspace(0, 2 * np.pi, 400)
for ax, (name, path) in zip(axes, paths.items()):
    touch = path[np.argmax(strengths > 0.9)]
    order = 2 if name == "L2" else 1
    radius = np.linalg.norm(touch, ord=order)
    circle = np.stack([np.cos(angle), np.sin(angle)])  # (2, 400)
    ax.plot(*(radius * circle / np.linalg.norm(circle, ord=order, axis=0)), color="black", label="the limit")
    level = 0.5 * (touch - optimum) @ hessian @ (touch - optimum)
    ax.contour(w1, w2, heights, levels=level * np.array([0.1, 0.4, 1, 2, 3.5]), colors="C0", linewidths=0.8)
    ax.plot(*path.T, "--", color="C1", label="all strengths")
    ax.plot(*touch, "o", color="C1", label="where they touch")
    ax.plot(*optimum, "k+", markersize=10, label="optimum without penalty")
    ax.set(xlabel="first weight", aspect="equal")
    ax.set_title(f"{name}: " + ("both weights shrink" if name == "L2" else "the second weight is gone"))
axes[0].set_ylabel("second weight")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
plt.show()

# %% [markdown]
# ## How far does each direction shrink?
#
# On paper there was one weight. With many, the Hessian $H$ mixes them, and its eigenvectors unmix them:
# along an eigenvector of eigenvalue $\alpha$ the loss is the parabola we had. From $(H + \lambda I)\,
# w_\lambda = H w^*$ and $H = \sum_i \alpha_i q_i q_i^\top$,
#
# $$q_i^\top w_\lambda = \frac{\alpha_i}{\alpha_i + \lambda}\; q_i^\top w^* :$$
#
# every eigendirection loses its own share $\lambda / (\lambda + \alpha_i)$. We measure it on real data: a
# linear model that tells eights from other digits by sixteen patches of ink. Its mean squared error is a
# quadratic with $H = X^\top X / n$. *Ridge regression*, as this is called, has a formula for its minimum,
# and gradient descent must find the same weights.

# %%
patches = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)  # (1797, 64) -> (1797, 16)
features = patches - patches.mean(axis=0)  # centred, so that no bias is needed
targets = (labels == 8) - np.mean(labels == 8)  # (1797,)
n = len(features)
hessian = features.T @ features / n  # (16, n) @ (n, 16) -> (16, 16)


def ridge(features, targets, strength):
    """Minimum of mean squared error / 2 plus strength / 2 times the squared weights; (n, d), (n,) -> (d,)."""
    n, d = features.shape
    return np.linalg.solve(features.T @ features / n + strength * np.eye(d), features.T @ targets / n)


def ridge_by_descent(features, targets, strength, n_steps):
    """The same by gradient descent with weight decay, from zero."""
    n, d = features.shape
    weight = np.zeros(d)
    learning_rate = 1 / (np.linalg.eigvalsh(features.T @ features / n)[-1] + strength)
    for _ in range(n_steps):
        grad = features.T @ (features @ weight - targets) / n  # (d, n) @ (n,) -> (d,)
        weight = decayed_step(weight, grad, learning_rate, strength)
    return weight


curvatures, directions = np.linalg.eigh(hessian)  # (16,), (16, 16): eigenvectors in columns
free = directions.T @ ridge(features, targets, 0.0)  # (16,): the optimum without penalty, unmixed
kept = {}
print(f"{'strength':20s}{'trained - exact':>18s}{'worst share error':>20s}")
for strength in (0.003, 0.03):
    trained = ridge_by_descent(features, targets, strength, n_steps=6000)
    gap = np.abs(trained - ridge(features, targets, strength)).max()
    kept[strength] = directions.T @ trained / free  # (16,)
    error = np.abs(kept[strength] - curvatures / (curvatures + strength)).max()
    print(f"{strength:<20}{gap:18.1e}{error:20.1e}")
    assert gap < 1e-10 and error < 1e-6

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
grid = np.geomspace(curvatures[0] / 2, curvatures[-1] * 2, 100)
for (strength, shares), color, marker in zip(kept.items(), ("C0", "C1"), "o^"):
    ax.semilogx(grid, grid / (grid + strength), color=color, linewidth=0.8)
    ax.semilogx(
        curvatures, shares, marker, color=color, markerfacecolor="none", label=f"trained, λ = {strength}"
    )
ax.set(xlabel="curvature α along the eigenvector", ylabel="share of the weight that is kept")
ax.set_title("Flat directions give way, steep ones hold (lines: α / (α + λ))")
ax.legend()
plt.show()

# %% [markdown]
# ## A belief about weights
#
# Suppose you believed, before seeing data, that weights are drawn from a normal distribution with standard
# deviation $\tau$, and that targets carry normal noise of standard deviation $\sigma$. The most probable
# weights given the data minimise
#
# $$\frac{1}{2\sigma^2} \sum_j (y_j - x_j^\top w)^2 + \frac{1}{2\tau^2} \sum_i w_i^2 .$$
#
# Divide by $n / \sigma^2$: it is ridge with $\lambda = \sigma^2 / (n \tau^2)$. Noisy targets, few examples
# and a narrow belief all ask for a stronger spring. L1 is the same story with a belief that has a sharp
# peak at zero.

# %%
sigma, tau = 0.25, 0.8
precision = features.T @ features / sigma**2 + np.eye(16) / tau**2  # (16, n) @ (n, 16) -> (16, 16)
most_probable = np.linalg.solve(precision, features.T @ targets / sigma**2)  # (16,)
largest = np.abs(most_probable - ridge(features, targets, sigma**2 / (n * tau**2))).max()
print(f"largest difference from ridge {largest:.1e}")
assert largest < 1e-10

# %% [markdown]
# ## Leave the biases alone
#
# A bias says where zero is, and that is no sign of learning by heart. Take ridge with a bias and add a
# hundred to every target. If the bias is free, it takes the hundred and the weights stay as they were. If
# it has a spring too, part of the hundred has to be paid by the weights.

# %%
with_ones = np.column_stack([patches, np.ones(n)])  # (n, 17): the last weight is the bias
springs = {"bias free": np.diag([1.0] * 16 + [0.0]), "bias decayed": np.eye(17)}
moved = {}
for name, spring in springs.items():
    before, after = (
        np.linalg.solve(with_ones.T @ with_ones / n + 0.03 * spring, with_ones.T @ shifted / n)
        for shifted in (targets, targets + 100)
    )
    moved[name] = np.abs(after - before)[:16].max()
    print(
        f"{name:20s}largest change of a weight {moved[name]:8.1e}   of the bias {after[16] - before[16]:7.2f}"
    )
assert moved["bias free"] < 1e-9 and moved["bias decayed"] > 1

# %% [markdown]
# In PyTorch, parameters that are treated differently go into different groups. Matrices decay; biases, and
# the gains of the norms to come (8.3, 8.4), do not. Everything with one dimension is one of those.


# %%
def decay_groups(model, strength):
    """Parameter groups for an optimizer: decay for tensors of two and more dimensions, none for others."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": weights, "weight_decay": strength}, {"params": others, "weight_decay": 0.0}]


sizes = [sum(p.numel() for p in group["params"]) for group in decay_groups(small_network(), 0.1)]
print(f"decayed: {sizes[0]} weights, free: {sizes[1]} biases")
assert sizes == [64 * 64 + 64 * 10, 64 + 10]

# %% [markdown]
# ## Adam needs a decay of its own
#
# For SGD, a penalty in the loss and a decay of the weights are one thing. Adam divides each gradient by
# its usual size. If the penalty is in the loss, it is divided as well: a weight with large gradients gets
# a small share of its spring, a weight with small ones a large share. AdamW, which 7.2 wrote down, shrinks
# the weights outside of that division, all by the same percentage:
#
# $$w \leftarrow (1 - \eta\lambda)\, w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon} .$$


# %%
class Adam:
    """Adam for one array; if `decoupled`, the decay acts on the weight (AdamW), else it joins the gradient.

    Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2 with a constant schedule.
    """

    def __init__(self, learning_rate, strength, decoupled, betas=(0.9, 0.999), eps=1e-8):
        self.learning_rate, self.strength, self.decoupled = learning_rate, strength, decoupled
        self.betas, self.eps = betas, eps
        self.m = self.v = 0.0
        self.t = 0

    def step(self, weight, grad):
        """The weight after one step with the gradient of the loss alone."""
        if self.decoupled:
            weight = (1 - self.learning_rate * self.strength) * weight
        else:
            grad = grad + self.strength * weight
        beta1, beta2 = self.betas
        self.t += 1
        self.m = beta1 * self.m + (1 - beta1) * grad
        self.v = beta2 * self.v + (1 - beta2) * grad**2
        m_hat, v_hat = self.m / (1 - beta1**self.t), self.v / (1 - beta2**self.t)
        return weight - self.learning_rate * m_hat / (np.sqrt(v_hat) + self.eps)


# %% [markdown]
# Ours against `torch.optim.Adam` with `weight_decay` (the penalty in the loss) and `torch.optim.AdamW`:
# same start, same gradients.

# %%
start, grads = rng.normal(size=5), rng.normal(size=(50, 5))
ends = {}
for name, decoupled, optimizer_class in (
    ("Adam", False, torch.optim.Adam),
    ("AdamW", True, torch.optim.AdamW),
):
    ours, adam = start, Adam(0.02, 0.3, decoupled)
    theirs = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = optimizer_class([theirs], lr=0.02, weight_decay=0.3)
    for grad in grads:
        ours = adam.step(ours, grad)
        theirs.grad = torch.from_numpy(grad)
        optimizer.step()
    ends[name] = ours
    largest = np.abs(ours - theirs.detach().numpy()).max()
    print(f"{name:8s}largest difference from PyTorch {largest:.1e}")
    assert largest < 1e-12
apart = np.abs(ends["Adam"] - ends["AdamW"]).max()
print(f"and from each other {apart:.2f}")
assert apart > 0.01

# %% [markdown]
# Now the experiment that shows the difference. A thousand weights start at one and get gradients that are
# pure noise: nobody needs them, and all should decay alike. Half of them have noise ten times as large.

# %%
n_weights, n_steps, learning_rate, strength = 1000, 1000, 0.002, 0.5
noise = np.repeat([0.3, 3.0], n_weights // 2)  # (1000,): how large each weight's gradients are
tracks = {}
for name, decoupled in (("L2 in the loss", False), ("decoupled (AdamW)", True)):
    adam, weight, track = Adam(learning_rate, strength, decoupled), np.ones(n_weights), []
    for _ in range(n_steps):
        weight = adam.step(weight, noise * rng.normal(size=n_weights))
        track.append(weight.reshape(2, -1).mean(axis=1))  # (1000,) -> (2, 500) -> (2,)
    tracks[name] = np.array(track)  # (n_steps, 2)
    print(f"{name:20s}left of a quiet weight {track[-1][0]:6.3f}, of a noisy one {track[-1][1]:6.3f}")
theory = (1 - learning_rate * strength) ** np.arange(1, n_steps + 1)  # (n_steps,)
quiet, noisy = tracks["L2 in the loss"][-1]
assert quiet < 0.5 * noisy
assert np.abs(tracks["decoupled (AdamW)"] - theory[:, None]).max() < 0.03

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (name, track) in zip(axes, tracks.items()):
    for column, style, words in ((0, "-", "quiet gradients"), (1, "--", "noisy gradients")):
        ax.plot(track[:, column], style, color=f"C{column}", label=words)
    ax.plot(theory, color="black", linewidth=0.8, linestyle=":", label="(1 − ηλ) to the power of the step")
    ax.set(xlabel="step", title=name)
axes[0].set(ylabel="weight, mean of 500", ylim=(0, 1.05))
axes[0].legend(fontsize=8)
fig.suptitle("Adam divides the spring by the noise; AdamW lets all weights decay alike")
plt.show()

# %% [markdown]
# ## How strong? Ask the validation set
#
# No formula tells the strength, because nobody knows $\sigma$ and $\tau$. One tries a few, each several
# times the last, and lets images decide that were not trained on. The training labels here come from a
# tired annotator: one in five is replaced by a random digit. There is a lot to learn by heart that should
# not be.


# %%
def train_noisy(strength, seed, n_train=400, n_steps=250):
    """A network trained by AdamW on images whose labels are partly wrong; losses and accuracies in a dict."""
    torch.manual_seed(seed)
    order = torch.randperm(len(labels))
    parts = {
        "train": order[:n_train],
        "valid": order[n_train : n_train + 400],
        "test": order[n_train + 400 :],
    }
    given = y.clone()
    tired = parts["train"][torch.rand(n_train) < 0.2]
    given[tired] = torch.randint(10, (len(tired),))
    model = small_network(dtype=torch.float32)
    optimizer = torch.optim.AdamW(decay_groups(model, strength), lr=0.01, fused=True)
    pixels = x.float()
    for _ in range(n_steps):
        loss = F.cross_entropy(model(pixels[parts["train"]]), given[parts["train"]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    row = {"train loss": loss.item()}
    with torch.no_grad():
        for name in ("valid", "test"):
            logits = model(pixels[parts[name]])
            row[f"{name} loss"] = F.cross_entropy(logits, y[parts[name]]).item()
            row[f"{name} acc."] = (logits.argmax(dim=1) == y[parts[name]]).float().mean().item()
    return row


tried = (0.0, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0)
rows = {strength: [train_noisy(strength, seed) for seed in range(3)] for strength in tried}
columns = ("train loss", "valid loss", "valid acc.", "test acc.")
means = {s: {name: np.mean([row[name] for row in rows[s]]) for name in columns} for s in tried}
print(f"{'strength':20s}" + "".join(f"{name:>12s}" for name in columns))
for strength, row in means.items():
    print(f"{strength:<20}" + "".join(f"{row[name]:12.3f}" for name in columns))
chosen = max(tried, key=lambda strength: means[strength]["valid acc."])
print(f"chosen by validation accuracy: {chosen}")

# %%
assert 1.0 < chosen < 10.0
assert means[chosen]["test acc."] > means[0.0]["test acc."] + 0.08
assert means[0.0]["train loss"] < 0.1 < means[chosen]["train loss"]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
places = np.arange(len(tried))
for name, style, words in (("train loss", "o--", "training"), ("valid loss", "s-", "validation")):
    left.plot(places, [means[s][name] for s in tried], style, label=words)
left.set(xticks=places, xticklabels=tried, xlabel="strength λ", ylabel="loss (nats)")
left.set_title("Training gets worse, validation gets better, then worse")
left.legend()
for name, style, words in (
    ("valid acc.", "C1s-", "validation, which chooses"),
    ("test acc.", "C2^:", "test, looked at once"),
):
    right.plot(places, [means[s][name] for s in tried], style, label=words)
right.axvline(tried.index(chosen), color="0.7", linewidth=0.8, zorder=0)
right.set(
    xticks=places,
    xticklabels=tried,
    xlabel="strength λ",
    ylabel="accuracy",
    title="The right spring unlearns the noise",
)
right.legend()
plt.show()

# %% [markdown]
# The labels are bad, so there is much to unlearn. How much is to be gained with clean ones is the first
# experiment to try.
#
# ## What to remember
#
# - The L2 penalty in the loss is, for SGD, a fixed percentage off each weight per step.
# - Along a direction of curvature $\alpha$ the share $\lambda / (\lambda + \alpha)$ is lost: what the data
#   does not hold goes first. L1 sets weights to exactly zero.
# - It is the belief that weights come from a normal distribution: $\lambda = \sigma^2 / (n\tau^2)$.
# - With Adam use decoupled decay (AdamW), leave biases and gains alone, and choose the strength on
#   validation data.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Set the annotator's `0.2` to `0`. Which strength wins now, and by how much?
# 2. Train with 1,200 images instead of 400. Does the best strength move the way $\sigma^2 / (n\tau^2)$
#    says?
# 3. Turn the Hessian of the picture by 45 degrees. Does L1 still find a corner?
#
# ## Sources
#
# - A. E. Hoerl, R. W. Kennard, "Ridge regression", *Technometrics* 12, 1970; R. Tibshirani, "Regression
#   shrinkage and selection via the lasso", *JRSS B* 58, 1996.
# - A. Krogh, J. A. Hertz, "A simple weight decay can improve generalization", NIPS 1991.
# - I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
# - I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, section 7.1: shrinkage along
#   eigenvectors.
# - I. Daubechies, M. Defrise, C. De Mol, "An iterative thresholding algorithm", 2004: the loop of L1.
# - E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998: the digits.
