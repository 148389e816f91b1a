# %% [markdown]
# # 8.2 Weight decay: every step pulls each weight a little towards zero
#
# A network that learns from labels of which some are wrong can learn the wrong ones, too, and it needs
# large weights to bend its answers around them. What happens if every weight is tied to zero by a spring,
# so that only weights that the data pulls hard can be large? This is *weight decay* (7.2), and it is part
# of nearly every training of a large network, language models included.
#
# **You will build** the penalty and its gradient, measure how far each direction of the weights shrinks,
# tell apart what different optimizers call weight decay, and choose its strength on validation data. **You
# need** the Hessian and its eigenvectors (2.6), SGD, Adam and AdamW with parameter groups (7.2), ridge
# regression (7.6) and intervals for a paired difference (7.7).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

# %% [markdown]
# ## On paper first
#
# The loss of a single weight is $\frac32 (w - 4)^2$, so the data pulls the weight to $4$ with curvature
# $3$. The spring adds a penalty of $\frac{\lambda}{2} w^2$ with the strength $\lambda = 1$. Where do the
# two forces balance? We set the derivative to zero, once with numbers and once for any curvature $\alpha$
# and any optimum $w^*$:
#
# $$\begin{aligned}
#   3\,(w - 4) + 1 \cdot w &= 0 & w &= \tfrac{12}{4} = 3 \\
#   \alpha\,(w - w^*) + \lambda w &= 0 & w &= \frac{\alpha}{\alpha + \lambda}\, w^*
# \end{aligned}$$
#
# So the weight keeps the share $\alpha / (\alpha + \lambda)$, here three quarters. If the data pulls hard,
# $\alpha$ is large and nearly all is kept, and if the data hardly pulls, nearly nothing is.

# %%
w = 0.0
for _ in range(200):
    w -= 0.1 * (3 * (w - 4) + 1 * w)
print(f"gradient descent with the penalty stops at {w:.6f}")
assert abs(w - 3) < 1e-12

# %% [markdown]
# ## From scratch
#
# For a network, half of $\lambda$ times the sum of all squared weights is added to the loss, which is
# called the *L2 penalty*. Its gradient is $\lambda$ times the weight, so a step of gradient descent
# becomes
#
# $$\begin{aligned}
#   w &\leftarrow w - \eta \Big( \frac{\partial L}{\partial w} + \lambda w \Big) \\
#     &= (1 - \eta\lambda)\, w - \eta\, \frac{\partial L}{\partial w} .
# \end{aligned}$$
#
# In the second line one sees why it is called a decay: every step first takes the same share $\eta\lambda$
# off each weight, and then follows the gradient of the loss alone.


# %%
def l2_penalty(weights, strength):
    """strength / 2 times the sum of squares over a list of arrays or tensors."""
    return strength / 2 * sum((weight * weight).sum() for weight in weights)


def decayed_step(weight, grad, learning_rate, strength):
    """The weight after a step of gradient descent with weight decay, given the gradient of the loss alone."""
    return (1 - learning_rate * strength) * weight - learning_rate * grad


# %% [markdown]
# ## In PyTorch
#
# `torch.optim.SGD` has the decay built in. Two copies of one network see the same batches. One has the
# penalty in its loss and the other has `weight_decay` in its optimizer. If the two lines above are equal,
# the networks must be equal after 100 steps.


# %%
def small_network(dtype=torch.float32):
    """Digits to ten logits through one hidden layer of 64 units."""
    return nn.Sequential(nn.Linear(64, 64, dtype=dtype), nn.ReLU(), nn.Linear(64, 10, dtype=dtype))


exact_x = torch.from_numpy(images)  # (1797, 64), float64
y = torch.from_numpy(labels)
torch.manual_seed(0)
penalized = small_network(torch.float64)
decayed = small_network(torch.float64)
decayed.load_state_dict(penalized.state_dict())
plain_sgd = torch.optim.SGD(penalized.parameters(), lr=0.1)
decaying_sgd = torch.optim.SGD(decayed.parameters(), lr=0.1, weight_decay=0.01)
for _ in range(100):
    batch = torch.randint(1000, (50,))
    loss = F.cross_entropy(penalized(exact_x[batch]), y[batch]) + l2_penalty(penalized.parameters(), 0.01)
    plain_sgd.zero_grad()
    loss.backward()
    plain_sgd.step()
    decaying_sgd.zero_grad()
    F.cross_entropy(decayed(exact_x[batch]), y[batch]).backward()
    decaying_sgd.step()
pairs = list(zip(penalized.parameters(), decayed.parameters()))
largest = max((ours - theirs).abs().max().item() for ours, theirs in pairs)
print(f"largest difference after 100 steps {largest:.1e}")
assert largest < 1e-12

# %% [markdown]
# The difference is rounding, so for plain SGD penalty and decay are two names for one thing. (With
# momentum they differ, and `weight_decay` of `torch.optim.SGD` is the penalty.)
#
# ## How far does each direction shrink?
#
# With many weights the Hessian $H$ mixes them, but along its eigenvectors $q_i$ (2.6) the loss is the
# parabola that we had on paper, with the eigenvalue $\alpha_i$ for a curvature. So along each of them the
# weights should keep the share $\alpha_i / (\alpha_i + \lambda)$. We try it on a linear model that tells
# eights from other digits by the ink in sixteen patches. Half its mean squared error has the Hessian
# $X^\top X / n$, and with the penalty it is ridge regression (7.6), whose minimum has a formula. Gradient
# descent with decay starts from zero. Does it find the minimum, and is each share as predicted?

# %%
patches = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)  # (1797, 64) -> (1797, 16)
features = patches - patches.mean(axis=0)  # centred, so that no bias is needed
targets = (labels == 8) - np.mean(labels == 8)  # (1797,)


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


# %%
hessian = features.T @ features / len(features)  # (16, n) @ (n, 16) -> (16, 16)
curvatures, directions = np.linalg.eigh(hessian)  # (16,), (16, 16): eigenvectors in columns
free_optimum = directions.T @ ridge(features, targets, 0.0)  # (16,): without penalty, in each direction
kept = {}
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
grid = np.geomspace(curvatures[0] / 2, curvatures[-1] * 2, 100)
print(f"{'strength':20s}{'trained - formula':>20s}{'worst share error':>20s}")
for strength, style in ((0.003, "o"), (0.03, "^")):
    trained = ridge_by_descent(features, targets, strength, n_steps=6000)
    gap = np.abs(trained - ridge(features, targets, strength)).max()
    kept[strength] = directions.T @ trained / free_optimum  # (16,)
    error = np.abs(kept[strength] - curvatures / (curvatures + strength)).max()
    print(f"{strength:<20}{gap:20.1e}{error:20.1e}")
    ax.semilogx(grid, grid / (grid + strength), color="0.6", linewidth=0.8)
    ax.semilogx(curvatures, kept[strength], style, fillstyle="none", label=f"trained, λ = {strength}")
ax.set(xlabel="curvature α along the eigenvector", ylabel="share of the weight that is kept")
ax.set_title("Shares kept in 16 directions, and α / (α + λ) as lines")
ax.legend()
plt.show()

# %% [markdown]
# All points lie on their lines. Directions of small curvature, which the data hardly determines, lose
# nearly everything, and directions of large curvature keep it. The stronger decay moves the line to the
# right: $\lambda$ is the curvature at which one half is kept. So weight decay removes first what the data
# says least about, which in such a model is also where noise in the targets moves the solution most.
#
# ## Leave the biases alone
#
# A bias multiplies no input. It shifts the output, but it cannot make the network react more strongly to a
# pixel, so there is no reason to keep it small. What goes wrong if it decays as well? We give the linear
# model a bias, add 100 to all targets, and see what changes in the other weights.

# %%
with_ones = np.column_stack([patches, np.ones(len(patches))])  # (1797, 17): the last weight is the bias
penalties = {"bias free": np.diag([1.0] * 16 + [0.0]), "bias decayed": np.eye(17)}
moved = {}
print(f"{'':20s}{'largest change of a weight':>28s}{'change of the bias':>20s}")
for name, penalty in penalties.items():
    hessian_with_ones = with_ones.T @ with_ones / len(with_ones) + 0.03 * penalty  # (17, 17)
    solutions = []
    for shifted in (targets, targets + 100):
        solutions.append(np.linalg.solve(hessian_with_ones, with_ones.T @ shifted / len(with_ones)))  # (17,)
    change = solutions[1] - solutions[0]
    moved[name] = np.abs(change[:16]).max()
    print(f"{name:20s}{moved[name]:28.1e}{change[16]:20.2f}")

# %% [markdown]
# A free bias takes the whole 100, and the weights stay as they were. A bias that decays does not reach
# 100, so the weights are bent to make up for the rest. In PyTorch parameters that are treated differently
# go into different groups (7.2). Everything with one dimension is a bias, or the scale or shift of a norm
# (8.3, 8.4), and usually none of these decay.


# %%
def decay_groups(model, strength):
    """Parameter groups for an optimizer: decay for tensors of two and more dimensions, none for others."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": weights, "weight_decay": strength}, {"params": others, "weight_decay": 0.0}]


group_sizes = [sum(p.numel() for p in group["params"]) for group in decay_groups(small_network(), 0.1)]
print(f"decayed: {group_sizes[0]} weights, free: {group_sizes[1]} biases")
assert group_sizes == [64 * 64 + 64 * 10, 64 + 10]

# %% [markdown]
# ## What optimizers call weight decay
#
# With Adam the two lines of the beginning are no longer equal, because Adam divides the gradient by its
# usual size $\sqrt{\hat s}$, and a penalty in the gradient is divided with it. Lesson 7.2, which wrote Adam
# and AdamW, measured that weights with large gradients then hardly decay. Three rules are in use, and all
# are called weight decay:
#
# $$\begin{aligned}
#   \texttt{Adam(weight\_decay=λ)} \quad & g \leftarrow g + \lambda w \text{ first, then Adam's step} \\
#   \texttt{AdamW} \text{ in PyTorch} \quad & w \leftarrow (1 - \eta\lambda)\, w - \eta\,
#     \hat m / (\sqrt{\hat s} + \varepsilon) \\
#   \text{AdamW in its paper} \quad & w \leftarrow (1 - \lambda)\, w - \eta\,
#     \hat m / (\sqrt{\hat s} + \varepsilon)
# \end{aligned}$$
#
# In the paper (Loshchilov and Hutter 2019) the decay does not contain the learning rate $\eta$, only a
# schedule's factor, which is one here. So a $\lambda$ from the paper has to be divided by $\eta$ before it
# is given to PyTorch. To check the three lines we let Adam without any decay take 50 steps, and write the
# decay out in front of each. The library's own `weight_decay` has to lead to the same weights.

# %%
RATE = 0.02
start = torch.from_numpy(rng.normal(size=5))
gradients = torch.from_numpy(rng.normal(size=(50, 5)))


@torch.no_grad()
def end_of_walk(library, weight_decay, written_out=None):
    """Five weights after 50 steps; written_out: the rule whose decay is done by hand before each, if any."""
    w = start.clone().requires_grad_()
    optimizer = library([w], lr=RATE, weight_decay=weight_decay)
    for gradient in gradients:
        w.grad = gradient.clone()
        if written_out == "Adam, λ = 0.3":
            w.grad += 0.3 * w
        elif written_out == "AdamW, λ = 0.3":
            w *= 1 - RATE * 0.3
        elif written_out == "paper, λ = 0.01":
            w *= 1 - 0.01
        optimizer.step()
    return w.detach()


RULES = {  # the library's optimizer and its weight_decay
    "Adam, λ = 0.3": (torch.optim.Adam, 0.3),
    "AdamW, λ = 0.3": (torch.optim.AdamW, 0.3),
    "paper, λ = 0.01": (torch.optim.AdamW, 0.01 / RATE),
}
rule_ends = {}
for name, (library, weight_decay) in RULES.items():
    rule_ends[name] = end_of_walk(library, weight_decay)
    by_hand = end_of_walk(torch.optim.Adam, 0.0, written_out=name)
    largest = (rule_ends[name] - by_hand).abs().max().item()
    print(f"{name:20s}PyTorch's weight_decay {weight_decay:.1f}, largest difference {largest:.1e}")
    assert largest < 1e-12
rules_apart = (rule_ends["Adam, λ = 0.3"] - rule_ends["AdamW, λ = 0.3"]).abs().max().item()
print(f"largest difference between Adam and AdamW for one λ: {rules_apart:.2f}")

# %% [markdown]
# All three lines are what PyTorch computes, but for the same `weight_decay=0.3` Adam and AdamW end with
# different weights. So a strength can only be compared with others for the same rule.
#
# Usual strengths look very different, too. What can be compared is how much the decay alone leaves of a
# weight at the end of training, $(1 - \eta\lambda)^{\text{steps}} \approx e^{-\eta\lambda \cdot
# \text{steps}}$, so it depends on the product of rate, strength and number of steps. The first two rows
# are typical of long trainings, and the others are short ones like ours below.

# %%
SETTINGS = {
    "SGD, images, 90 epochs": (0.1, 1e-4, 450_000),
    "AdamW, language model": (3e-4, 0.1, 100_000),
    "AdamW, default, 250 steps": (1e-2, 0.01, 250),
    "AdamW, λ = 3, 250 steps": (1e-2, 3.0, 250),
}
left_over = {}
print(f"{'':28s}{'rate':>8s}{'strength':>10s}{'steps':>10s}{'product':>10s}{'left':>10s}")
for name, (rate, strength, n_steps) in SETTINGS.items():
    left_over[name] = (1 - rate * strength) ** n_steps
    print(f"{name:28s}{rate:8g}{strength:10g}{n_steps:10,d}", end="")
    print(f"{rate * strength * n_steps:10.3g}{left_over[name]:10.2g}")

# %% [markdown]
# Over a long training the usual strengths leave one or a few percent of an unused weight (with a falling
# rate somewhat more). With AdamW's default and only 250 steps nearly all of it is left, so there the
# default does nothing. Short trainings need strengths that look large.
#
# ## Which strength? Ask the validation set
#
# The labels of 400 training digits come from a tired annotator, who replaces one in five by a random
# digit. A network with 64 hidden units is trained by AdamW in 250 steps on the whole set, with strengths
# from AdamW's default upwards. The validation images have the right labels. What do you expect of the
# training loss and of the validation loss as the decay gets stronger? We also try Adam with the penalty
# in its gradient, and choose the strength of each rule by validation accuracy, the mean of four seeds.

# %%
SHARE_WRONG = 0.2
x = torch.from_numpy(images).float()


def train_noisy(strength, seed, library=torch.optim.AdamW, n_train=400, n_steps=250):
    """Train on images with partly wrong labels: the model, and a dict of losses and accuracies.

    Raises ValueError if n_train leaves no images for the test, or if n_steps is below one.
    """
    if n_train > 1396 or n_steps < 1:
        raise ValueError(f"needs n_train <= 1396 and n_steps >= 1, got {n_train} and {n_steps}")
    torch.manual_seed(seed)
    order = torch.randperm(len(labels))
    parts = dict(zip(("train", "valid", "test"), order.tensor_split((n_train, n_train + 400))))
    given = y[parts["train"]].clone()
    tired = torch.rand(n_train) < SHARE_WRONG
    given[tired] = torch.randint(10, (int(tired.sum()),))
    model = small_network()
    optimizer = library(decay_groups(model, strength), lr=0.01)
    model.train()
    for _ in range(n_steps):
        loss = F.cross_entropy(model(x[parts["train"]]), given)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    row = {"train loss": loss.item()}
    with torch.no_grad():
        for name in ("valid", "test"):
            logits = model(x[parts[name]])
            row[f"{name} loss"] = F.cross_entropy(logits, y[parts[name]]).item()
            row[f"{name} acc."] = (logits.argmax(dim=1) == y[parts[name]]).float().mean().item()
    return model, row


# %%
SEEDS = range(4)
STRENGTHS = {"AdamW": (0.0, 0.01, 1.0, 3.0, 5.0, 10.0), "Adam": (0.003, 0.01, 0.03, 0.1)}
LIBRARIES = {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam}
COLUMNS = ("train loss", "valid loss", "valid acc.")
runs = {}  # (rule, strength) -> four pairs of model and row
means = {}
chosen = {}
for rule, strengths in STRENGTHS.items():
    print(f"{rule + ', strength':20s}" + "".join(f"{name:>12s}" for name in COLUMNS))
    for strength in strengths:
        runs[rule, strength] = [train_noisy(strength, seed, LIBRARIES[rule]) for seed in SEEDS]
        rows = [row for _, row in runs[rule, strength]]
        means[rule, strength] = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        print(f"{strength:<20}" + "".join(f"{means[rule, strength][name]:12.3f}" for name in COLUMNS))
    accuracies = [means[rule, strength]["valid acc."] for strength in strengths]
    chosen[rule] = strengths[int(np.argmax(accuracies))]
    print(f"chosen by validation accuracy: {chosen[rule]}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
places = np.arange(len(STRENGTHS["AdamW"]))
for ax, columns in ((left, ("train loss", "valid loss")), (right, ("valid acc.",))):
    for column, style in zip(columns, ("o--", "s-")):
        ax.plot(places, [means["AdamW", s][column] for s in STRENGTHS["AdamW"]], style, label=column)
    ax.set(xlabel="strength λ of AdamW", xticks=places, xticklabels=STRENGTHS["AdamW"])
    ax.legend()
left.set(ylabel="loss (nats)", title="Losses, mean of four seeds")
right.set(ylabel="accuracy", title="Validation accuracy, mean of four seeds")
plt.show()

# %% [markdown]
# The stronger the decay, the higher the training loss, because the network can no longer follow the
# wrong labels. The validation loss falls to less than half and rises again, and in between lies the best
# accuracy. Loss and accuracy do not choose the same strength: the accuracy allows a stronger one,
# presumably because less confident answers cost loss even if they are right. AdamW's default gives
# nearly the result of no decay at all, as the product above says. For Adam with the penalty in its
# gradient the best strength is hundreds of times smaller.
#
# Only now do we look at the test images, once for each rule at its chosen strength, beside no decay. The
# table has 95 % intervals for the gain (Student's $t$ for four pairs is $3.18$). Is AdamW better than
# Adam? The figure shows the weights of hidden units on the 64 pixels. How would you expect decay to
# change them?

# %%
T_95 = 3.182
test_accuracies = {"no decay": [row["test acc."] for _, row in runs["AdamW", 0.0]]}
for rule, strength in chosen.items():
    test_accuracies[rule] = [row["test acc."] for _, row in runs[rule, strength]]
test_gains = {}
print(f"{'':20s}{'test accuracy':>14s}   gain over no decay (95 %)")
for name, values in test_accuracies.items():
    gain = np.subtract(values, test_accuracies["no decay"])  # (4,)
    half_width = T_95 * gain.std(ddof=1) / 2  # four pairs: the square root is 2
    test_gains[name] = (gain.mean() - half_width, gain.mean() + half_width)
    print(f"{name:20s}{np.mean(values):14.3f}   {test_gains[name][0]:+.3f} to {test_gains[name][1]:+.3f}")

# %%
vanished = {}  # for each strength the number of units with less than a tenth of the longest, four seeds
fig, axes = plt.subplots(2, 8, figsize=(10, 3), layout="constrained")
for row_of_axes, strength in zip(axes, (0.0, chosen["AdamW"])):
    first_model, _ = runs["AdamW", strength][0]  # of seed 0
    filters = first_model[0].weight.detach().numpy()  # (64, 64): one row for each unit
    lengths = [model[0].weight.detach().norm(dim=1) for model, _ in runs["AdamW", strength]]
    vanished[strength] = np.array([(length < 0.1 * length.max()).sum().item() for length in lengths])
    strongest = np.argsort(np.linalg.norm(filters, axis=1))[::-1]
    limit = np.abs(filters).max()
    for ax, unit in zip(row_of_axes, strongest[::8]):  # every eighth, from the strongest on
        ax.imshow(filters[unit].reshape(8, 8), cmap="RdBu", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
    row_of_axes[0].set_ylabel(f"λ = {strength:g}")
fig.suptitle("Weights of hidden units on the pixels, every eighth by length (one scale for each row)")
plt.show()
print("units with less than a tenth of the longest, four seeds:")
for strength, counts in vanished.items():
    print(f"λ = {strength:<8g}{counts.tolist()}")

# %% [markdown]
# Both rules gain more than ten points over no decay, and here neither is better than the other, since
# each runs at a strength of its own. What AdamW makes simpler is the choice of the strength, which does
# not depend on the size of the gradients. In the figure, decay has not made all units fainter alike.
# Without it (upper row) the weights look like noise, part of which may be left from the random start.
# With it (lower row) units differ more in length: about ten of the 64 have nearly vanished, more than
# without decay on every seed, and the strongest one has larger patches of one sign.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
for strength, shares in kept.items():
    assert np.abs(shares - curvatures / (curvatures + strength)).max() < 1e-6, (
        "each direction keeps α / (α + λ)"
    )
assert moved["bias free"] < 1e-9, "a free bias takes a shift of the targets alone"
assert moved["bias decayed"] > 1, "a bias that decays bends the weights"
assert rules_apart > 0.01, "Adam and AdamW decay differently"
for name in ("SGD, images, 90 epochs", "AdamW, language model"):
    assert 0.005 < left_over[name] < 0.06, "usual strengths leave one or a few percent of an unused weight"
assert left_over["AdamW, default, 250 steps"] > 0.97, "the default does nothing in 250 steps"
train_losses = [means["AdamW", strength]["train loss"] for strength in STRENGTHS["AdamW"]]
assert (np.diff(train_losses[1:]) > 0).all(), "the stronger the decay, the higher the training loss"
for rule, strengths in STRENGTHS.items():
    assert chosen[rule] not in (strengths[0], strengths[-1]), "no strength is chosen at the edge of its grid"
adamw_losses = {strength: means["AdamW", strength]["valid loss"] for strength in STRENGTHS["AdamW"]}
assert min(adamw_losses.values()) < 0.5 * adamw_losses[0.0], "the validation loss falls to less than half"
assert min(adamw_losses, key=adamw_losses.get) < chosen["AdamW"], "the loss chooses a weaker decay"
default_gain = means["AdamW", 0.01]["valid acc."] - means["AdamW", 0.0]["valid acc."]
assert abs(default_gain) < 0.015, "AdamW's default is nearly no decay here"
assert chosen["AdamW"] > 100 * chosen["Adam"], "Adam's best strength is hundreds of times smaller"
assert test_gains["AdamW"][0] > 0.1, "with wrong labels AdamW's decay gains more than ten points"
assert test_gains["Adam"][0] > 0.1, "and so does a penalty under Adam"
assert (vanished[chosen["AdamW"]] > vanished[0.0]).all(), "with decay more units nearly vanish, on every seed"
assert 6 < vanished[chosen["AdamW"]].mean() < 16, "and they are about ten of the 64"

# %% [markdown]
# ## Going further
#
# Two supplements: another penalty, which sets weights to exactly zero, and where $\lambda$ comes from if
# one believes something about the weights.
#
# ### L1: a penalty with a corner
#
# Instead of squares one can add up the absolute values of the weights, which is called *L1*. The pull
# towards zero is then equally strong for every weight, however small, so a weight that the data pulls less
# than that is set to exactly zero. To minimize it, one takes a gradient step and then moves every weight
# towards zero by a fixed amount, but not past it. This is called *soft thresholding*.


# %%
def soft_threshold(weight, amount):
    """Every entry moved towards zero by `amount`, but not past it."""
    return np.sign(weight) * np.maximum(np.abs(weight) - amount, 0)


def minimize_l2(hessian, optimum, strength):
    """The minimum of a quadratic around `optimum` (d,) with Hessian (d, d), plus the L2 penalty."""
    return np.linalg.solve(hessian + strength * np.eye(len(optimum)), hessian @ optimum)


def minimize_l1(hessian, optimum, strength, n_steps=2000):
    """The same with strength times the sum of absolute values: gradient step, then threshold.

    Daubechies, Defrise and De Mol 2004.
    """
    step = 1 / np.linalg.eigvalsh(hessian)[-1]
    weight = np.zeros(len(optimum))
    for _ in range(n_steps):
        grad = hessian @ (weight - optimum)  # (d, d) @ (d,) -> (d,)
        weight = soft_threshold(weight - step * grad, step * strength)
    return weight


two_hessian = np.array([[2.0, 0.9], [0.9, 1.0]])
two_optimum = np.array([2.0, 0.8])
path_strengths = np.concatenate([[0], np.geomspace(0.01, 30, 60)])
paths = {
    "L2": np.array([minimize_l2(two_hessian, two_optimum, s) for s in path_strengths]),  # (61, 2)
    "L1": np.array([minimize_l1(two_hessian, two_optimum, s) for s in path_strengths]),  # (61, 2)
}
zeros = {name: int(np.sum((path[:, 1] == 0) & (path[:, 0] != 0))) for name, path in paths.items()}
print("strengths at which only the second weight is exactly zero:", zeros)

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
w1, w2 = np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.6, 1.6, 100))  # each (100, 120)
away = np.stack([w1, w2], axis=-1) - two_optimum  # (100, 120, 2)
heights = 0.5 * np.einsum("...i,ij,...j->...", away, two_hessian, away)  # (100, 120)
angles = np.linspace(0, 2 * np.pi, 400)
circle = np.stack([np.cos(angles), np.sin(angles)])  # (2, 400)
for ax, (name, path) in zip(axes, paths.items()):
    order = {"L2": 2, "L1": 1}[name]
    touch = path[np.argmax(path_strengths > 0.9)]
    same_penalty = circle / np.linalg.norm(circle, ord=order, axis=0) * np.linalg.norm(touch, ord=order)
    level = 0.5 * (touch - two_optimum) @ two_hessian @ (touch - two_optimum)
    ax.contour(w1, w2, heights, levels=level * np.array([0.1, 0.4, 1, 2, 3.5]), colors="0.6", linewidths=0.8)
    ax.plot(*same_penalty, color="black", label="weights of the same penalty")
    ax.plot(*path.T, "--", color="C1", label="solutions for all strengths")
    ax.plot(*touch, "o", color="C1", label="solution for one strength")
    ax.plot(*two_optimum, "k+", markersize=10, label="optimum without penalty")
    ax.set(xlabel="first weight", aspect="equal", title=f"{name} penalty")
axes[0].set_ylabel("second weight")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
plt.show()

# %% [markdown]
# The solution lies where the lowest contour touches the black line. With L2 that line is a circle, which
# has no special points, so both weights shrink and neither becomes zero. With L1 it is a square on its
# tip, and the contour touches it at a corner, where the second weight is zero.
#
# ### A belief about weights
#
# Suppose that before seeing data you expect weights from a normal distribution with standard deviation
# $\tau$ (a prior, 2.8), and that the targets carry normal noise of standard deviation $\sigma$. The most
# probable weights then minimize
#
# $$\frac{1}{2\sigma^2} \sum_j (y_j - x_j^\top w)^2 + \frac{1}{2\tau^2} \sum_i w_i^2 ,$$
#
# and divided by $n / \sigma^2$ this is ridge regression with $\lambda = \sigma^2 / (n \tau^2)$. So the
# decay should be stronger if the targets are noisier, if there are fewer examples, or if smaller weights
# are expected. Does `ridge` with this strength give the most probable weights?

# %%
sigma = 0.25
tau = 0.8
precision = features.T @ features / sigma**2 + np.eye(16) / tau**2  # (16, n) @ (n, 16) -> (16, 16)
most_probable = np.linalg.solve(precision, features.T @ targets / sigma**2)  # (16,)
prior_strength = sigma**2 / (len(features) * tau**2)
largest = np.abs(most_probable - ridge(features, targets, prior_strength)).max()
print(f"largest difference from ridge regression {largest:.1e}")
assert largest < 1e-10
assert zeros["L2"] == 0, "L2 sets no weight to exactly zero"
assert zeros["L1"] > 5, "L1 sets a weight to exactly zero, over many strengths"

# %% [markdown]
# ## What to remember
#
# - Weight decay takes the share $\eta\lambda$ off every weight in each step. For plain SGD that is the same
#   as the L2 penalty in the loss, and for Adam it is not, so use AdamW.
# - Along a direction of curvature $\alpha$ the share $\alpha / (\alpha + \lambda)$ is kept, so what the
#   data says least about goes first.
# - What decay alone leaves of a weight depends on the product of rate, strength and steps. In a short
#   training the default of AdamW does nearly nothing.
# - Biases and the scales of norms do not decay. The strength is chosen on validation data, and test data
#   is looked at once, for the chosen one.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `SHARE_WRONG = 0.0`, so that all labels are right. How much is there left to gain? Compare the
#    validation accuracies in the table, and the gains in the last one.
# 2. Train four times as long: write `n_steps=1000` in `train_noisy`. If only the product of rate,
#    strength and steps counted, the best strength would move to about a quarter. Does it move that far,
#    by validation loss and by validation accuracy? Look at the table.
# 3. From a blank cell after the one that defines `decayed_step`: let a weight of 1 take 250 steps with a
#    gradient of zero, a rate of 0.01 and a strength of 3, and compare what is left with
#    $e^{-\eta\lambda \cdot \text{steps}}$.
#
# ## Sources
#
# - A. E. Hoerl, R. W. Kennard, "Ridge regression", _Technometrics_ 12, 1970. Reproduced: "each direction
#   keeps".
# - A. Krogh, J. A. Hertz, "A simple weight decay can improve generalization", NIPS 1991: decay
#   against noise in the targets. Reproduced: "with wrong labels AdamW's decay gains".
# - I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2. Reproduced:
#   "Adam and AdamW decay differently".
# - R. Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B 58, 1996. Reproduced: "L1
#   sets a weight to exactly zero".
# - I. Daubechies, M. Defrise, C. De Mol, "An iterative thresholding algorithm for linear inverse
#   problems", 2004: the loop of L1. Reproduced: `test_minimize_l1_meets_its_conditions`.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data, CC BY 4.0.
