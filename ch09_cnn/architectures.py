# %% [markdown]
# # 9.3 Architectures: what famous networks spend, and what each change bought
#
# In 1998 a network of sixty thousand numbers read the digits on bank cheques. In 2012 one a thousand
# times as large won a competition on photos of a thousand kinds of things, and three years later its
# successors made about a quarter as many errors. All of them are stacks of convolutions and pools. What
# did each of them change, what did it cost, and which of the changes made the difference? Whoever takes a
# finished network, to run it on a phone or to train it further, has to answer that.
#
# **You will build** LeNet, AlexNet and VGG from their papers, a surveyor that counts the parameters, the
# work and the memory of any network, and an experiment that takes out one ingredient at a time. **You
# need** convolution and its receptive field (9.1), pooling (9.2), dropout (8.1), batch norm (8.3), data
# augmentation (8.6), and hooks (4.3). **It takes** about 50 seconds.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

torch.manual_seed(0)
HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# The first layer of LeNet-5 slides six filters of $5\times5$ over an image of $32\times32$ pixels. To
# see what it costs, we count the numbers that it stores, and its multiply-adds (9.2), one for each weight
# times an input:
#
# $$\begin{aligned}
#   \text{places of a filter} &= (32 - 5 + 1)^2 = 28^2 = 784 \\
#   \text{parameters} &= 6 \cdot (5^2 \text{ weights} + 1 \text{ bias}) = 156 \\
#   \text{multiply-adds} &= \text{outputs} \cdot 5^2 = 6 \cdot 784 \cdot 25 = 117{,}600
# \end{aligned}$$
#
# The weights are shared by all places, so there are few of them, but the work is done at every place.

# %%
first_conv = nn.Conv2d(1, 6, 5)
first_maps = first_conv(torch.zeros(1, 1, 32, 32))  # (1, 6, 28, 28)
n_parameters = sum(p.numel() for p in first_conv.parameters())
print(
    f"output {tuple(first_maps.shape)}   parameters {n_parameters}   "
    f"multiply-adds {first_maps.numel() * 25:,}"
)
assert n_parameters == 156
assert first_maps.numel() * 25 == 117_600

# %% [markdown]
# ## The surveyor
#
# We want these numbers for every layer of any network. Sizes depend on the input, so the surveyor sends
# one empty image through the network and lets a hook (4.3) note what each layer returns. Work is
# counted where weights are multiplied, in convolutions and linear layers: each output meets one filter,
# so
#
# $$\text{multiply-adds} = \text{outputs} \cdot \text{weights of one filter} .$$
#
# It also follows the receptive field of lesson 9.1, the width $r$ of the square of pixels that an output
# depends on. A filter of $k$ pixels widens it by $k - 1$ steps, and a step is $j$ pixels of the image,
# which each stride $s$ multiplies:
#
# $$r \leftarrow r + (k-1)\, j, \qquad j \leftarrow j\, s .$$


# %%
def along_height(setting):
    """A layer's setting for the height: 3 for 3 and for (3, 2)."""
    return setting[0] if isinstance(setting, tuple) else setting


def run_and_record(model, shape):
    """(name, layer, output) of each layer that has no layers inside, for one empty image of `shape`."""
    names = {module: name for name, module in model.named_modules() if not list(module.children())}
    records = []

    def note(module, inputs, output):
        records.append((names[module], module, output))

    handles = [module.register_forward_hook(note) for module in names]
    was_training = model.training
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape, device=device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return records


# %%
def survey(model, shape):
    """The bill of `model` for one image of `shape` (C, H, W): a list of dicts, one for each layer, in order.

    Keys: name, kind, shape (without the batch), parameters, multiply_adds, outputs (how many numbers the
    layer returns), field (its receptive field in pixels; None after a layer that sees the whole image).
    Layers on a shortcut (a name with "downsample") do not widen the field: it follows the longest way.
    Raises ValueError for a layer with weights whose work is not counted here.
    """
    bill = []
    field = 1
    jump = 1
    for name, module, output in run_and_record(model, shape):
        parameters = sum(p.numel() for p in module.parameters())
        multiply_adds = 0
        if isinstance(module, nn.Conv2d | nn.Linear):
            multiply_adds = output.numel() * module.weight[0].numel()  # each output meets one filter
        elif parameters and not isinstance(module, nn.BatchNorm2d):
            raise ValueError(f"no rule for the work of {name}, a {type(module).__name__}")
        if isinstance(module, nn.Linear | nn.AdaptiveAvgPool2d):
            field = None
        elif hasattr(module, "stride") and field and "downsample" not in name:
            dilation = along_height(getattr(module, "dilation", 1))
            field += dilation * (along_height(module.kernel_size) - 1) * jump
            jump *= along_height(module.stride)
        bill.append(
            {
                "name": name,
                "kind": type(module).__name__,
                "shape": tuple(output.shape[1:]),
                "parameters": parameters,
                "multiply_adds": multiply_adds,
                "outputs": output.numel(),
                "field": field,
            }
        )
    return bill


def total(bill, key):
    """The sum of one column of a bill, as "parameters" or "multiply_adds"."""
    return sum(row[key] for row in bill)


# %% [markdown]
# ## 1998: LeNet-5
#
# LeNet-5 set the pattern that all later networks keep: small filters find strokes, pooling makes their
# place coarse, further filters combine what was found, and linear layers decide. This is its plan with
# today's layers, while the paper's own differs in details such as pools with weights.

# %%
lenet = nn.Sequential(
    nn.Conv2d(1, 6, 5),
    nn.Tanh(),
    nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5),
    nn.Tanh(),
    nn.AvgPool2d(2),
    nn.Conv2d(16, 120, 5),
    nn.Tanh(),
    nn.Flatten(),
    nn.Linear(120, 84),
    nn.Tanh(),
    nn.Linear(84, 10),
)
lenet_bill = survey(lenet, (1, 32, 32))
print(f"{'layer':20s}{'output':>16s}{'parameters':>12s}{'mult-adds':>12s}{'field':>8s}")
for row in lenet_bill:
    if row["kind"] in ("Conv2d", "AvgPool2d", "Linear"):
        numbers = f"{row['parameters']:12,}{row['multiply_adds']:12,}{row['field'] or 'all':>8}"
        print(f"{row['kind']:20s}{str(row['shape']):>16s}{numbers}")
print(f"{'':36s}{total(lenet_bill, 'parameters'):12,}{total(lenet_bill, 'multiply_adds'):12,}")

# %% [markdown]
# It has about sixty thousand parameters and four hundred thousand multiply-adds. The third convolution
# sees the whole image, $32$ pixels wide, and has most of the parameters, while most of the work is done
# in the first two, where the maps are large.
#
# ## 2012: AlexNet
#
# Fourteen years later there were graphics processors that could multiply fast, and *ImageNet*, a
# collection of more than a million photos with labels for a thousand categories. AlexNet kept the pattern
# of LeNet, but it took ReLU in place of tanh, max pools, dropout, training images that are shifted and
# mirrored at random (augmentation, 8.6), and a thousand times the parameters. This is the form that
# PyTorch ships, from a paper by Krizhevsky of 2014. The names `features` and `classifier` let weights pass
# between ours and torchvision's.


# %%
class FeaturesThenClassifier(nn.Module):
    """(B, 3, H, W) -> scores (B, n_classes): convolutions, a pool to `size` × `size`, linear layers."""

    def __init__(self, features, size, classifier):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(size)  # so that images of other sizes fit as well
        self.classifier = classifier

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))  # (B, C, s, s) -> (B, C * s * s)


def alexnet(n_classes=1000):
    """AlexNet: Krizhevsky 2014, as in torchvision."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, n_classes),
    )
    return FeaturesThenClassifier(features, 6, classifier)


# %% [markdown]
# ## 2014 and 2015: VGG and ResNet
#
# AlexNet's filters are $11$, $5$ and $3$ pixels wide, and somebody had to choose. VGG has only filters
# of $3\times3$, and more layers. Two of them in a row see as far as one of $5\times5$, and three as far
# as one of $7\times7$, and with $C$ channels in and out they have fewer weights:
#
# $$2 \cdot 9\, C^2 < 25\, C^2, \qquad 3 \cdot 9\, C^2 < 49\, C^2 .$$
#
# That they really see as far can be read from the gradient of the output in the middle, because it is
# zero at every pixel that the output does not depend on.

# %%
channels = 8
pixels_seen = {}
print(f"{'':20s}{'parameters':>12s}{'pixels seen':>12s}")
for n_layers, width in ((1, 5), (2, 3), (1, 7), (3, 3)):
    layers = [nn.Conv2d(channels, channels, width, padding="same", bias=False) for _ in range(n_layers)]
    stack = nn.Sequential(*layers)
    x = torch.randn(1, channels, 15, 15, requires_grad=True)
    stack(x)[0, :, 7, 7].sum().backward()
    n_parameters = sum(p.numel() for p in stack.parameters())
    name = f"{n_layers} of {width} × {width}"
    pixels_seen[name] = int((x.grad[0].abs().sum(dim=0) > 0).sum())
    print(f"{name:20s}{n_parameters:12,}{pixels_seen[name]:12}")

# %% [markdown]
# Two small layers see the same 25 pixels as one large, and three see the same 49. They also have a ReLU
# after each layer, so they can compute more than one large filter.
#
# With one kind of layer a whole network fits in a line: channel counts, and `"M"` for a max pool that
# halves the sides. Then the channels are doubled, so that the work for each layer stays about the same.


# %%
def vgg(layers, n_classes=1000):
    """VGG from a list of channel counts and "M"; Simonyan and Zisserman 2014, table 1."""
    features = []
    n_in = 3
    for item in layers:
        if item == "M":
            features.append(nn.MaxPool2d(2))
        else:
            features.append(nn.Conv2d(n_in, item, 3, padding=1))
            features.append(nn.ReLU())
            n_in = item
    classifier = nn.Sequential(
        nn.Linear(n_in * 7 * 7, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, n_classes),
    )
    return FeaturesThenClassifier(nn.Sequential(*features), 7, classifier)


VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]

# %% [markdown]
# VGG stopped at nineteen layers, because more of them did not lower its error. ResNet, a year later, has
# up to 152, because it changed three things: batch norm (8.3) stands after every convolution, each pair
# or triple of layers adds its result to its own input (a shortcut, lesson 9.4), and in place of the large
# linear layers the last maps are averaged over all places (9.2), so that one small linear layer is
# enough. *Going further* builds it from the paper's table, and for the bills below we take torchvision's.
#
# ## The same in PyTorch
#
# Torchvision has all four networks. Our AlexNet and our VGG agree with them if three numbers do: the
# parameters, the multiply-adds that torchvision publishes (in thousand millions, with three decimals),
# and the scores for a photo with the same weights. For the counts the networks are built on the `meta`
# device (4.5), which has shapes but no numbers. The memory is that of the maps, which training keeps for
# the backward pass: four bytes for each output of a layer that multiplies. The last column is the
# published *top-1* accuracy, the share of photos whose most likely category is right.

# %%
weights_of = {
    "AlexNet": models.AlexNet_Weights.IMAGENET1K_V1,
    "VGG-16": models.VGG16_Weights.IMAGENET1K_V1,
    "ResNet-18": models.ResNet18_Weights.IMAGENET1K_V1,
    "ResNet-50": models.ResNet50_Weights.IMAGENET1K_V1,
}
torchvision_builders = {
    "AlexNet": models.alexnet,
    "VGG-16": models.vgg16,
    "ResNet-18": models.resnet18,
    "ResNet-50": models.resnet50,
}
our_builders = {"AlexNet": alexnet, "VGG-16": lambda: vgg(VGG16)}
bills = {}
for name, build in (torchvision_builders | our_builders).items():  # ours, if we have one
    with torch.device("meta"):
        bills[name] = survey(build(), (3, 224, 224))

costs = {}
top1 = {}
print(f"{'':12s}{'parameters (10⁶)':>18s}{'mult-adds (10⁹)':>18s}{'maps (MB)':>12s}{'top-1 (%)':>12s}")
for name, bill in bills.items():
    published = weights_of[name].meta  # torchvision puts what it measured under names with an underscore
    top1[name] = published["_metrics"]["ImageNet-1K"]["acc@1"]
    costs[name] = {
        "parameters (10⁶)": total(bill, "parameters") / 1e6,
        "multiply-adds (10⁹)": total(bill, "multiply_adds") / 1e9,
        "memory of maps (MB)": 4 * sum(row["outputs"] for row in bill if row["multiply_adds"]) / 1e6,
    }
    millions, billions, megabytes = costs[name].values()
    print(f"{name:12s}{millions:18.1f}{billions:18.3f}{megabytes:12.1f}{top1[name]:12.1f}")
    assert total(bill, "parameters") == published["num_params"], name
    assert round(billions, 3) == published["_ops"], name

# %% [markdown]
# All counts are the published ones, to the last parameter. VGG-16 has the most in every column of costs,
# and the two ResNets, with far fewer parameters and less work, come close to its accuracy or exceed it
# (though they were also trained by other recipes). So size is not what made the later networks better.
#
# Layers with the right counts may still stand in the wrong order, so torchvision's network now lends its
# weights to ours for a photo (one of your own: 2.1 says how). `assign=True` takes the tensors themselves,
# so nothing is copied.


# %%
def largest_difference(ours, theirs, x):
    """Largest difference between the scores of two networks under theirs' weights, relative to the largest.

    ours: a network on the meta device, which takes over the tensors of `theirs`.
    """
    theirs.eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh norms would all do the same, so give them numbers
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.0)
    ours.eval().load_state_dict(theirs.state_dict(), assign=True)
    with torch.no_grad():
        expected = theirs(x)
        return ((ours(x) - expected).abs().max() / expected.abs().max()).item()


photo = plt.imread(HERE / "data" / "coffee.jpg")  # (400, 600, 3)
if photo.dtype != np.uint8 or photo.shape[2:] != (3,):
    raise ValueError(
        f"the photo must be an 8-bit RGB picture, got {photo.dtype} {photo.shape} (2.1 says how)"
    )
cup = torch.from_numpy(photo[100:196, 200:296] / np.float32(255))  # (96, 96, 3)
cup = cup.permute(2, 0, 1)[None]  # -> (1, 3, 96, 96)
differences = {}
for name, build in our_builders.items():
    with torch.device("meta"):
        ours = build()
    differences[name] = largest_difference(ours, torchvision_builders[name](), cup)
    print(f"{name:20s}largest relative difference {differences[name]:.1e}")
    assert differences[name] < 1e-4, "our network computes what torchvision's does"  # float32

# %% [markdown]
# ## Reading the bills
#
# Where does a network store its parameters, and where does it work? The figure shows both and the
# memory, layer by layer, with linear layers hatched. A sensible person might expect that the layers with
# the most parameters do most of the work.


# %%
def shares(part, whole):
    """What share of the parameters, the work and the outputs of the rows `whole` the rows `part` have."""
    return {key: total(part, key) / total(whole, key) for key in ("parameters", "multiply_adds", "outputs")}


multiplying = {}  # for each network its layers with weights, in order, without those on shortcuts
linear_share = {}
first_half = {}
for name, bill in bills.items():
    multiplying[name] = [row for row in bill if row["multiply_adds"] and "downsample" not in row["name"]]
    linear = [row for row in bill if row["kind"] == "Linear"]
    early = multiplying[name][: len(multiplying[name]) // 2]
    linear_share[name] = shares(linear, bill)
    first_half[name] = shares(early, multiplying[name])
last_field = {name: max(row["field"] for row in rows if row["field"]) for name, rows in multiplying.items()}

print(f"{'':12s}{'in linear layers:':>24s}{'in the first half of layers:':>36s}")
print(
    f"{'':12s}{'parameters':>12s}{'mult-adds':>12s}{'parameters':>12s}{'mult-adds':>12s}{'memory':>12s}"
    f"{'last field':>12s}"
)
for name in bills:
    linear = linear_share[name]
    early = first_half[name]
    print(
        f"{name:12s}{linear['parameters']:12.1%}{linear['multiply_adds']:12.1%}{early['parameters']:12.1%}"
        f"{early['multiply_adds']:12.1%}{early['outputs']:12.1%}{last_field[name]:12d}"
    )

# %%
quantities = {
    "parameters (10⁶)": ("parameters", 1e6),
    "multiply-adds (10⁶)": ("multiply_adds", 1e6),
    "memory of maps (MB)": ("outputs", 1e6 / 4),
}
fig, axes = plt.subplots(3, 4, figsize=(10, 8.4), layout="constrained", sharex="col", sharey="row")
for line, (label, (key, unit)) in zip(axes, quantities.items()):
    line[0].set_ylabel(label)
    for ax, rows in zip(line, multiplying.values()):
        for kind, color, hatch in (("Conv2d", "C0", None), ("Linear", "C1", "////")):
            places = [i for i, row in enumerate(rows, 1) if row["kind"] == kind]
            heights = [row[key] / unit for row in rows if row["kind"] == kind]
            ax.bar(places, heights, width=1, color=color, hatch=hatch, edgecolor="white", linewidth=0.3)
        ax.set_yscale("log")
for name, top, bottom in zip(multiplying, axes[0], axes[-1]):
    top.set_title(name)
    bottom.set_xlabel("layer with weights")
fig.suptitle("What each layer costs (blue: convolutions, orange and hatched: linear layers)")
plt.show()

# %% [markdown]
# Compare the first two rows, whose scales are logarithmic. In AlexNet and VGG-16 nearly all parameters
# are in the linear layers at the end, and nearly all the work is in the convolutions, because a weight of
# a convolution is used at many places, up to thousands, and a weight of a linear layer once. The ResNets
# have only one small linear layer at their end. Along the convolutions the parameters grow from left to
# right and the memory falls, because early maps are large with few channels and late ones small with
# many. The table adds that the last convolution of AlexNet and VGG-16 sees a little less than the width
# of the image, $224$ pixels, and that of the ResNets sees more.
#
# ## What each change bought
#
# If it was not size that made them better, what was it? On ImageNet these networks differ in everything
# at once, and so does the way they were trained. To see what a single ingredient does, we take a small
# network with ReLU, dropout, augmentation and batch norm, and leave out one at a time, which is called an
# ablation (7.7). The network begins like AlexNet, with a large filter and a stride, goes on with three
# $3\times3$ convolutions like VGG, and ends in two linear layers. We hold fixed the five hundred training
# images, the twenty epochs, and the care: every variant gets its own best learning rate out of four, by
# the accuracy on a thousand validation images.
#
# With so few images one should expect that the two ingredients against overfitting, dropout and
# augmentation, matter most. But ReLU was one of AlexNet's great gains, and batch norm let ResNet train
# deep networks with large rates.


# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
n_train = 500
center = train_images[:n_train].mean()
spread = train_images[:n_train].std()
all_inputs = ((train_images - center) / spread)[:, None]  # (5000, 28, 28) -> (5000, 1, 28, 28)
test_inputs = ((test_images - center) / spread)[:, None]
moved_inputs = F.pad(test_inputs, (2, 0), value=test_inputs.min().item())[..., :28]  # two pixels to the right
valid_inputs = all_inputs[4000:]  # the last thousand of the training file
valid_labels = train_labels[4000:]


# %%
def small_network(activation=nn.ReLU, batch_norm=True, dropout=0.3):
    """(B, 1, 28, 28) to scores (B, 10): a wide filter, three small ones, two linear layers."""
    layers = [nn.Conv2d(1, 8, 5, stride=2, padding=2)]  # (B, 8, 14, 14)
    if batch_norm:
        layers.append(nn.BatchNorm2d(8))
    layers.append(activation())
    layers.append(nn.MaxPool2d(2))  # (B, 8, 7, 7)
    for n_in in (8, 16, 16):
        layers.append(nn.Conv2d(n_in, 16, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(16))
        layers.append(activation())
    layers.append(nn.MaxPool2d(2))  # (B, 16, 3, 3)
    layers.append(nn.Flatten())
    layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(16 * 9, 128))
    layers.append(activation())
    layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(128, 10))
    return nn.Sequential(*layers)


def augmented(x, generator):
    """Half of the images x (B, 1, 28, 28) mirrored, and the batch moved by up to two pixels each way."""
    mirror = torch.rand(len(x), generator=generator) < 0.5
    x = torch.where(mirror[:, None, None, None], x.flip(3), x)  # (B,) -> (B, 1, 1, 1)
    x = F.pad(x, (2, 2, 2, 2), value=x.min().item())  # with black
    row, column = torch.randint(5, (2,), generator=generator).tolist()
    return x[:, :, row : row + 28, column : column + 28]


# %%
def accuracy(model, x, y):
    """Share of the images that the model names right."""
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(dim=1) == y).double().mean().item()


def train(learning_rate, seed, n_epochs=20, augment=True, **recipe):
    """A `small_network` by this recipe, trained with Adam and a cosine schedule (7.3)."""
    torch.manual_seed(seed)
    model = small_network(**recipe)
    generator = torch.Generator().manual_seed(seed)
    dataset = TensorDataset(all_inputs[:n_train], train_labels[:n_train])
    loader = DataLoader(dataset, batch_size=50, shuffle=True, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs * len(loader))
    for _ in range(n_epochs):
        model.train()
        for x, y in loader:
            loss = F.cross_entropy(model(augmented(x, generator) if augment else x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return model


# %%
recipes = {
    "all four": {},
    "tanh for ReLU": {"activation": nn.Tanh},
    "no batch norm": {"batch_norm": False},
    "no dropout": {"dropout": 0.0},
    "no augmentation": {"augment": False},
}
rates = (1e-3, 4e-3, 1.6e-2, 6.4e-2)
tried = {}  # for each recipe the validation accuracy at each rate
tested = {}  # for each recipe the test accuracy of each seed
tested_moved = {}  # the same on the moved test images
fitted = {}  # and on the training images, not augmented
print(f"{'':18s}{'validation at four rates':>32s}{'test, three seeds':>27s}{'moved':>9s}{'training':>10s}")
for name, recipe in recipes.items():
    candidates = [train(rate, 0, **recipe) for rate in rates]
    tried[name] = [accuracy(model, valid_inputs, valid_labels) for model in candidates]
    best = int(np.argmax(tried[name]))
    chosen = [candidates[best]] + [train(rates[best], seed, **recipe) for seed in (1, 2)]
    tested[name] = np.array([accuracy(model, test_inputs, test_labels) for model in chosen])
    tested_moved[name] = np.array([accuracy(model, moved_inputs, test_labels) for model in chosen])
    fitted[name] = np.array([accuracy(m, all_inputs[:n_train], train_labels[:n_train]) for m in chosen])
    print(
        f"{name:18s}"
        + "".join(f"{value:8.3f}" for value in tried[name])
        + "".join(f"{value:9.3f}" for value in tested[name])
        + f"{tested_moved[name].mean():9.3f}{fitted[name].mean():10.3f}"
    )

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, scores_of, title in ((left, tested, "as they are"), (right, tested_moved, "moved by two pixels")):
    for i, scores in enumerate(scores_of.values()):
        ax.plot(
            scores, [i] * len(scores), "o", color="C0", markersize=5, label="one seed" if i == 0 else None
        )
        ax.plot(scores.mean(), i, "|", color="C1", markersize=22, label="mean" if i == 0 else None)
    ax.axvline(scores_of["all four"].mean(), color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="test accuracy", title=f"Test images {title}")
left.set_yticks(range(len(tested)), tested)
left.invert_yaxis()
right.legend()
fig.suptitle("One ingredient taken out at a time")
plt.show()

# %% [markdown]
# In the left panel batch norm is the ingredient that helps. Without it every seed ends below its
# counterpart with all four, by about three points on average, although it has its own best rate. Tanh
# in place of ReLU changes the mean by less than the seeds differ among themselves, and so does leaving
# out dropout. Without augmentation the test accuracy is even higher, because mirrored and shifted images
# make the task harder, and twenty epochs seem too few to make up for it: the last column says that the
# network with all four is right on only about four fifths of the images that it was trained on.
#
# What augmentation brought is in the right panel. If the test images are moved by two pixels, the network
# without it loses about thirteen points, and falls from the first place to about that of the network
# without batch norm. The others, which saw shifted images in training, lose three points at most. Three
# other seeds gave the same picture with other numbers: without batch norm five to six points fewer,
# without augmentation two to three more, and a loss of nine on moved images.
#
# The papers are not contradicted, because AlexNet had sixty million parameters and ninety epochs, and
# measured the gain of ReLU without batch norm. An ingredient has no value of its own: it is worth
# something in a network, on data, with a budget for training. These numbers come from one small network
# and a thousand test images, so differences of one point are noise.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert total(lenet_bill, "parameters") == 61_706, "LeNet-5 has about sixty thousand parameters"
assert total(lenet_bill, "multiply_adds") == 416_520, "and costs about four hundred thousand multiply-adds"
assert lenet_bill[6]["field"] == 32, "LeNet's third convolution sees the whole image"
assert pixels_seen["2 of 3 × 3"] == pixels_seen["1 of 5 × 5"] == 25, (
    "small filters in a row see as far: 5 × 5"
)
assert pixels_seen["3 of 3 × 3"] == pixels_seen["1 of 7 × 7"] == 49, (
    "small filters in a row see as far: 7 × 7"
)
for name in ("AlexNet", "VGG-16"):
    assert linear_share[name]["parameters"] > 0.85, f"most parameters are in linear layers: {name}"
    assert linear_share[name]["multiply_adds"] < 0.1, f"nearly all the work is in convolutions: {name}"
    assert last_field[name] < 224, f"the last convolution sees less than the image: {name}"
for name in ("ResNet-18", "ResNet-50"):
    assert linear_share[name]["parameters"] < 0.1, f"few parameters are in the linear layer: {name}"
    assert last_field[name] > 224, f"the last convolution sees more than the image: {name}"
for name, early in first_half.items():
    assert early["parameters"] < 0.15, f"the first half of the layers has few parameters: {name}"
    assert early["outputs"] > 0.75, f"the first half of the layers has most of the memory: {name}"
for label, cost in costs["VGG-16"].items():
    assert cost == max(row[label] for row in costs.values()), f"VGG-16 costs most: {label}"
assert top1["ResNet-50"] == max(top1.values()), "ResNet-50 has the highest published accuracy"
for name, values in tried.items():
    assert 0 < np.argmax(values) < len(rates) - 1, f"the best rate is inside the grid: {name}"
full = tested["all four"]
assert all(tested["no batch norm"] < full), "without batch norm every seed is worse"
assert full.mean() - tested["no batch norm"].mean() > 0.02, "by more than two points on average"
for name in ("tanh for ReLU", "no dropout"):
    assert abs(tested[name].mean() - full.mean()) < np.ptp(full), f"less than the seeds differ: {name}"
assert tested["no augmentation"].mean() > full.mean(), "without augmentation still images are easier"
assert 0.7 < fitted["all four"].mean() < 0.9, "with all four the training images are not fitted"
lost = {name: tested[name].mean() - scores.mean() for name, scores in tested_moved.items()}
for name in lost:
    if name != "no augmentation":
        assert lost[name] < 0.05, f"trained on shifted images it loses little on moved ones: {name}"
assert lost["no augmentation"] > 0.08, "without augmentation moved images cost around ten points"
for name in ("all four", "tanh for ReLU", "no dropout"):
    assert tested_moved[name].mean() > tested_moved["no augmentation"].mean(), (
        f"ahead on moved images: {name}"
    )

# %% [markdown]
# ## Going further
#
# This part can be skipped. It builds the ResNets of the bills above, which lessons 9.4 and 9.5 come
# back to, and shows two more tricks for spending less.
#
# ### ResNet from its table
#
# ResNet is made of blocks. The _basic block_ has two $3\times3$ convolutions. The _bottleneck_ is for
# the deep versions: a $1\times1$ convolution makes the map narrow, a $3\times3$ works on it, and a
# $1\times1$ makes it four times as wide again. Each block adds its result to its input. Where the sides
# or channels change, the input goes through a $1\times1$ convolution of its own, called `downsample`. A
# first layer and a pool shrink the image early, and four stages of blocks follow, each with half the
# side and twice the channels of the one before.


# %%
def conv_norm(n_in, n_out, size, stride=1):
    """A convolution without bias (the norm has one) that keeps the sides at stride 1, and its norm."""
    conv = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)
    return conv, nn.BatchNorm2d(n_out)


def shortcut(n_in, n_out, stride):
    """The 1 × 1 convolution with norm for a block whose output has another shape, else None."""
    if stride == 1 and n_in == n_out:
        return None
    return nn.Sequential(*conv_norm(n_in, n_out, 1, stride))


class BasicBlock(nn.Module):
    """relu(shortcut(x) + two 3 × 3 convolutions of x), the stride in the first."""

    expansion = 1

    def __init__(self, n_in, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(n_in, width, 3, stride)
        self.conv2, self.bn2 = conv_norm(width, width, 3)
        self.downsample = shortcut(n_in, width, stride)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


# %%
class Bottleneck(nn.Module):
    """relu(shortcut(x) + 1 × 1, 3 × 3 and 1 × 1 of x), from n_in to 4 · width channels."""

    expansion = 4

    def __init__(self, n_in, width, stride):
        super().__init__()
        first_stride, second_stride = self.strides(stride)
        self.conv1, self.bn1 = conv_norm(n_in, width, 1, first_stride)
        self.conv2, self.bn2 = conv_norm(width, width, 3, second_stride)
        self.conv3, self.bn3 = conv_norm(width, 4 * width, 1)
        self.downsample = shortcut(n_in, 4 * width, stride)

    def strides(self, stride):
        """The strides of the first 1 × 1 and of the 3 × 3: torchvision gives it to the 3 × 3."""
        return 1, stride

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


class Bottleneck2015(Bottleneck):
    """The form of the paper, with the stride in the first 1 × 1."""

    def strides(self, stride):
        return stride, 1


# %%
class ResNet(nn.Module):
    """(B, 3, H, W) -> scores (B, n_classes); He et al. 2015, table 1. blocks: how many in each stage."""

    def __init__(self, block, blocks, n_classes=1000):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, 64, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        stages = []
        for stage, count in enumerate(blocks):
            width = 64 * 2**stage
            layers = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1  # each later stage begins by halving the sides
                layers.append(block(channels, width, stride))
                channels = block.expansion * width
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, n_classes)

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, C, H / 32, W / 32)
        return self.fc(self.avgpool(x).flatten(1))  # (B, C, 1, 1) -> (B, C)


our_resnets = {
    "ResNet-18": lambda: ResNet(BasicBlock, (2, 2, 2, 2)),
    "ResNet-50": lambda: ResNet(Bottleneck, (3, 4, 6, 3)),
}
for name, build in our_resnets.items():
    with torch.device("meta"):
        ours = build()
    assert total(survey(ours, (3, 224, 224)), "multiply_adds") == total(bills[name], "multiply_adds"), name
    differences[name] = largest_difference(ours, torchvision_builders[name](), cup)
    print(f"{name:20s}largest relative difference {differences[name]:.1e}")
    assert differences[name] < 1e-4, "our ResNet computes what torchvision's does"  # float32

# %% [markdown]
# ### Where the stride stands
#
# The paper gives ResNet-50 fewer multiply-adds than torchvision counts. Can our bill explain the
# difference? In the paper the first $1\times1$ convolution of a stage takes the stride, and in
# torchvision the $3\times3$ does. We count the paper's form, and ask the gradient which pixels the
# branch of one such block depends on.

# %%
with torch.device("meta"):
    bill_2015 = survey(ResNet(Bottleneck2015, (3, 4, 6, 3)), (3, 224, 224))
billions_2015 = total(bill_2015, "multiply_adds") / 1e9
share_seen = {}
for name, block in (("in the 1 × 1", Bottleneck2015), ("in the 3 × 3", Bottleneck)):
    x = torch.randn(2, 8, 8, 8, requires_grad=True)
    layer = block(8, 4, 2)
    layer.downsample = nn.Conv2d(8, 16, 1, stride=2)  # the shortcut skips pixels in any case: we silence it
    nn.init.zeros_(layer.downsample.weight)
    out = layer(x)
    (out * torch.randn_like(out)).sum().backward()
    share_seen[name] = (x.grad.abs().sum(dim=(0, 1)) > 0).float().mean().item()
    print(f"stride {name}: {share_seen[name]:.0%} of the pixels seen")
torchvision_billions = costs["ResNet-50"]["multiply-adds (10⁹)"]
print(f"multiply-adds (10⁹): the paper's form {billions_2015:.3f}, torchvision's {torchvision_billions:.3f}")

# %% [markdown]
# The paper's form costs the $3.8$ thousand million multiply-adds that the paper states. It saves them
# by not looking at three quarters of the pixels at the beginning of each stage.
#
# ### One by one, and two towers
#
# GoogLeNet of 2014 is made of _Inception_ modules, which save work by the same $1\times1$ filters. Take
# the $5\times5$ branch of its first module, from $192$ to $32$ channels on $28\times28$ places. What
# does it cost directly, and if a $1\times1$ convolution reduces the map to $16$ channels before?
#
# The AlexNet of 2012 saved in another way. It was split into two towers, one on each of two graphics
# processors, and in three of its layers each half of the channels sees only its own half: a convolution
# with two groups (9.1).


# %%
def alexnet_2012():
    """The two towers of Krizhevsky, Sutskever and Hinton 2012, for images of 227 pixels."""
    network = alexnet()
    features = network.features
    features[0] = nn.Conv2d(3, 96, 11, stride=4)
    features[3] = nn.Conv2d(96, 256, 5, padding=2, groups=2)
    features[6] = nn.Conv2d(256, 384, 3, padding=1)
    features[8] = nn.Conv2d(384, 384, 3, padding=1, groups=2)
    features[10] = nn.Conv2d(384, 256, 3, padding=1, groups=2)
    return network


direct = nn.Sequential(nn.Conv2d(192, 32, 5, padding=2))
reduced = nn.Sequential(nn.Conv2d(192, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 5, padding=2))
branch_costs = {
    "directly": total(survey(direct, (192, 28, 28)), "multiply_adds"),
    "through 16 channels": total(survey(reduced, (192, 28, 28)), "multiply_adds"),
}
for name, cost in branch_costs.items():
    print(f"{name:20s}{cost:14,} multiply-adds")
with torch.device("meta"):
    bill_2012 = survey(alexnet_2012(), (3, 227, 227))
convolutions_2012 = [row for row in bill_2012 if row["kind"] == "Conv2d"]
print(f"AlexNet of 2012: {total(bill_2012, 'parameters') / 1e6:.1f} million parameters")
print("numbers after each convolution: " + ", ".join(f"{row['outputs']:,}" for row in convolutions_2012))

# %% [markdown]
# The detour through $16$ channels costs about a tenth. The bill of the two towers has the sixty million
# parameters that the paper states, and its second layer has the paper's $186{,}624$ numbers. For the
# first layer the paper says $253{,}440$, which is not what its plan gives. It equals $55 \cdot 48 \cdot
# 96$, so perhaps somebody put the $48$ channels of one processor for one of the sides of $55$. The
# images of $224$ pixels in the paper do not fit its filters either, while $227$ do.

# %%
assert share_seen == {"in the 1 × 1": 0.25, "in the 3 × 3": 1.0}, "a stride in the 1 × 1 skips pixels"
assert 3.8 < billions_2015 < 3.9, "with the paper's strides ResNet-50 costs what the paper says"
assert total(bill_2015, "parameters") == total(bills["ResNet-50"], "parameters"), "the stride costs no weight"
assert branch_costs["through 16 channels"] < branch_costs["directly"] / 9, "a 1 × 1 before saves most of it"
assert 60 < total(bill_2012, "parameters") / 1e6 < 62, "the two towers have the paper's sixty million"
assert convolutions_2012[1]["outputs"] == 186_624, "the second layer is as large as the paper says"
assert convolutions_2012[0]["outputs"] > 253_440, "the first layer is larger than the paper says"
assert 253_440 == 55 * 48 * 96, "the paper's number has one side replaced by 48"

# %% [markdown]
# ## What to remember
#
# - A convolution has few parameters and much work, because its weights are shared; a linear layer has
#   one multiply-add for each weight.
# - Early layers cost memory and work, late ones parameters.
# - AlexNet and VGG keep most parameters in linear layers. ResNet averages over places in their stead.
# - Small filters in a row see as far as a large one, for fewer parameters.
# - To know what an ingredient is worth, take it out, and give what remains its own best learning rate.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Give VGG-16 the ending of ResNet: in `vgg` let `classifier` be `nn.Sequential(nn.Linear(n_in,
#    n_classes))` and return `FeaturesThenClassifier(nn.Sequential(*features), 1, classifier)`. What is
#    left of the parameters and of the multiply-adds in the table of counts? (The run stops there,
#    because the counts are no longer torchvision's.)
# 2. In the ablation let `n_train = 50`, so that there is one batch in each epoch. Which ingredient do
#    you expect to matter more now, and which less? Look at the last table and figure.
# 3. From a blank cell at the end: survey ResNet-34 (`BasicBlock`, blocks 3, 4, 6, 3) and ResNet-152
#    (`Bottleneck`, blocks 3, 8, 36, 3), and compare the multiply-adds with
#    `models.ResNet34_Weights.IMAGENET1K_V1.meta["_ops"]` and that of ResNet-152.
#
# ## Sources
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
#   recognition", _Proceedings of the IEEE_ 86, 1998, section II.B.
# - A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural
#   networks", NeurIPS 2012, section 3.5. Reproduced: "the two towers have the paper's sixty million".
# - A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014: its later
#   form.
# - K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition",
#   2014, section 2.3. Reproduced: "small filters in a row see as far".
# - C. Szegedy et al., "Going deeper with convolutions", 2014, section 5: Inception. Reproduced: "a 1 × 1
#   before saves".
# - K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015, section 3.3
#   and table 1. Reproduced: "with the paper's strides".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017: the images.
