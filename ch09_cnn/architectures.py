# %% [markdown]
# # 9.3 Architectures: what five famous networks spend, and on what
#
# Five cars, from a carriage to a racer: nobody understands them from their paint. You lift the bonnet and
# read the bill, part by part. A network has a bill as well: numbers to store, multiplications to do,
# memory to fill. Read in order, the bills of LeNet, AlexNet, VGG, Inception and ResNet tell what changed,
# and why.
#
# **You will build** four of them and a branch of Inception from their papers, a surveyor that draws up the
# bill of a network, and small versions that compete for one budget. **You need** convolution and its
# receptive field (9.1), pooling (9.2), and batch normalization (8.3).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

torch.manual_seed(0)
HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# The first layer of LeNet-5 (1998): six filters of $5\times5$ slide over a $32\times32$ image and leave
# $28\times28$ places. *Parameters*: each filter has $25$ weights and a bias, so $6 \cdot 26 = 156$.
# *Multiply-adds*: each of the $6 \cdot 28 \cdot 28$ outputs costs $25$, so $117{,}600$. Weights are
# shared, work is not.

# %%
conv = nn.Conv2d(1, 6, 5)
out = conv(torch.zeros(1, 1, 32, 32))
n_parameters = sum(p.numel() for p in conv.parameters())
print(f"output {tuple(out.shape)}   parameters {n_parameters}   multiply-adds {out.numel() * 25:,}")
assert out.shape == (1, 6, 28, 28)
assert n_parameters == 156 and out.numel() * 25 == 117_600

# %% [markdown]
# ## The surveyor
#
# The same sums for every layer of any network. A hook (4.3) reports each layer's output. A *multiply-add*
# is one weight times one number; we count them where weights are multiplied, in convolutions and linear
# layers. With $C$ channels in, split into $g$ groups, and filters of $k \times k$:
#
# $$\text{multiply-adds} = \text{outputs} \cdot \frac{C k^2}{g}, \qquad
#   r \leftarrow r + (k-1)\, j, \quad j \leftarrow j\, s .$$
#
# On the right the *receptive field* $r$ of lesson 9.1 grows, in pixels of the image: $j$ pixels lie
# between neighbours in the map, and a stride $s$ spreads them. We follow the longest way, past any
# shortcut.


# %%
def pair(value):
    """A layer's setting along the height: 3 for 3 and for (3, 3)."""
    return value[0] if isinstance(value, tuple) else value


def survey(model, shape):
    """The bill of `model` for one image of shape (C, H, W): a list of dicts, one a layer, in calling order.

    Keys: name, kind, shape (without the batch), parameters, multiply_adds, outputs (numbers it leaves
    behind), field (its receptive field in pixels; None where the whole image is seen at once).
    Layers whose name contains "downsample" are off the longest way: they do not widen the field.
    Raises ValueError where a layer has weights whose work is not counted here.
    """
    bill, field, jump = [], 1, 1

    def record(name):
        def hook(module, inputs, output):
            nonlocal field, jump
            multiply_adds = 0
            if isinstance(module, nn.Conv2d | nn.Linear):
                multiply_adds = output.numel() * module.weight[0].numel()  # one output meets one filter
            elif not isinstance(module, nn.BatchNorm2d) and any(True for _ in module.parameters()):
                raise ValueError(f"no rule for the work of {name}, a {type(module).__name__}")
            if isinstance(module, nn.Linear | nn.AdaptiveAvgPool2d):
                field = None
            elif hasattr(module, "stride") and field and "downsample" not in name:
                dilation = pair(getattr(module, "dilation", 1))
                field += dilation * (pair(module.kernel_size) - 1) * jump
                jump *= pair(module.stride)
            row = {"name": name, "kind": type(module).__name__, "shape": tuple(output.shape[1:])}
            row["parameters"] = sum(p.numel() for p in module.parameters())
            bill.append(row | {"multiply_adds": multiply_adds, "outputs": output.numel(), "field": field})

        return hook

    leaves = [(name, m) for name, m in model.named_modules() if not any(True for _ in m.children())]
    handles = [module.register_forward_hook(record(name)) for name, module in leaves]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape, device=next(model.parameters()).device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return bill


def total(bill, key):
    """The sum of one column of a bill, as "parameters" or "multiply_adds"."""
    return sum(row[key] for row in bill)


# %% [markdown]
# ## 1998: LeNet-5, a convolution for the eye
#
# Small filters look for strokes, pooling makes their place coarse, and three linear layers decide. This is
# the form in use today: every filter sees all maps below. The paper's second convolution saved some by a
# table of who sees whom ($1{,}516$ parameters), its two pooling layers had a weight and a bias per map,
# and its output layer was fixed. Add up the paper's own: exactly sixty thousand.

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
    if row["parameters"] or row["kind"] == "AvgPool2d":
        numbers = f"{row['parameters']:12,}{row['multiply_adds']:12,}{row['field'] or 'all':>8}"
        print(f"{row['kind']:20s}{str(row['shape']):>16s}{numbers}")
print(f"{'':20s}{'':16s}{total(lenet_bill, 'parameters'):12,}{total(lenet_bill, 'multiply_adds'):12,}")

paper_lenet = 156 + 2 * 6 + 1516 + 2 * 16 + 120 * (16 * 25 + 1) + 84 * 121  # C1, S2, C3, S4, C5, F6
assert paper_lenet == 60_000
assert total(lenet_bill, "parameters") == 60_000 - 12 - 32 + 6 * 16 * 25 + 16 - 1516 + 850
assert lenet_bill[0]["multiply_adds"] == 117_600 and lenet_bill[6]["field"] == 32  # the whole image

# %% [markdown]
# ## 2012: AlexNet, the same on a thousand classes
#
# Fourteen years later there are GPUs, and a million photos with labels: *ImageNet*. ReLU instead of tanh,
# dropout, overlapping max pooling, and a thousand times the parameters. The form below is the one PyTorch
# ships, from a follow-up by Krizhevsky (2014). Convolutions stand in `features`, linear layers in
# `classifier`: names that let weights pass between ours and torchvision's.


# %%
def classifier(n_in, n_classes, dropout_first):
    """Three linear layers; AlexNet drops inputs before each of the first two, VGG after each."""
    a, b = nn.Linear(n_in, 4096), nn.Linear(4096, 4096)
    last = nn.Linear(4096, n_classes)
    if dropout_first:
        return nn.Sequential(nn.Dropout(), a, nn.ReLU(), nn.Dropout(), b, nn.ReLU(), last)
    return nn.Sequential(a, nn.ReLU(), nn.Dropout(), b, nn.ReLU(), nn.Dropout(), last)


class FeaturesThenClassifier(nn.Module):
    """(B, 3, H, W) -> scores (B, n_classes): convolutions, a pool to `size` × `size`, linear layers."""

    def __init__(self, features, size, channels, n_classes, dropout_first):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(size)  # so that other image sizes fit as well
        self.classifier = classifier(channels * size * size, n_classes, dropout_first)

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))  # (B, C, s, s) -> (B, C * s * s)


def alexnet(n_classes=1000):
    """AlexNet undivided: Krizhevsky 2014, as in torchvision."""
    features = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    return FeaturesThenClassifier(features, 6, 256, n_classes, dropout_first=True)


# %% [markdown]
# The network of the 2012 paper was split into two *towers*, one for each GPU of 3 GB: in three of its
# layers each half of the channels sees only its own half, a convolution with two groups (9.1). Building it
# takes no memory, on PyTorch's `meta` device: tensors with a shape and nothing in it.
#
# Two slips in the paper show why one should count. Images of $224$ pixels do not fit filters of $11$ at
# stride $4$; $227$ do. And the neurons of its first layer are given as $253{,}440$, which is $55 \cdot 48
# \cdot 96$: one side became the $48$ channels of a GPU. Another layer's count agrees.


# %%
def alexnet_2012():
    """The two towers of Krizhevsky, Sutskever and Hinton 2012, for images of 227 pixels."""
    features = nn.Sequential(
        *(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    return FeaturesThenClassifier(features, 6, 256, 1000, dropout_first=True)


with torch.device("meta"):
    bill_2012 = survey(alexnet_2012(), (3, 227, 227))
first, second = (row for row in bill_2012 if row["name"] in ("features.0", "features.3"))
millions = total(bill_2012, "parameters") / 1e6
print(f"2012: {millions:.1f} million parameters (the paper: 60), first layer {first['outputs']:,} neurons")
assert 60 < millions < 62 and (224 - 11) % 4 != 0 == (227 - 11) % 4
assert second["outputs"] == 186_624  # as in the paper
assert first["outputs"] == 55 * 55 * 96 > 253_440 == 55 * 48 * 96

# %% [markdown]
# ## 2014: VGG, nothing but three by three
#
# AlexNet's filters were $11$, $5$ and $3$ wide, and somebody had to choose. VGG has one size and repeats
# it. A stack of two $3\times3$ sees as far as one $5\times5$, a stack of three as far as a $7\times7$,
# with fewer parameters and a ReLU in between. For $C$ channels in and out:
#
# $$2 \cdot 9 C^2 < 25 C^2, \qquad 3 \cdot 9 C^2 < 49 C^2 .$$
#
# Do they see as far? We ask the gradient of the middle output which pixels it depends on.

# %%
channels = 8
print(f"{'':20s}{'parameters':>12s}{'pixels seen':>12s}")
for n_layers, width in ((2, 5), (3, 7)):
    layers = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(n_layers)]
    one = nn.Conv2d(channels, channels, width, padding=width // 2, bias=False)
    seen, parameters = [], []
    for stack in (nn.Sequential(*layers), one):
        x = torch.randn(1, channels, 15, 15, requires_grad=True)
        stack(x)[0, :, 7, 7].sum().backward()
        seen.append(int((x.grad[0].abs().sum(dim=0) > 0).sum()))
        parameters.append(sum(p.numel() for p in stack.parameters()))
    print(f"{f'{n_layers} of 3 × 3':20s}{parameters[0]:12,}{seen[0]:12}")
    print(f"{f'1 of {width} × {width}':20s}{parameters[1]:12,}{seen[1]:12}")
    assert seen == [width * width, width * width]
    assert parameters == [n_layers * 9 * channels**2, width**2 * channels**2]


# %% [markdown]
# A whole network is now a line: channel counts, and `"M"` for a max pooling that halves the sides. Where
# the sides halve, channels double, up to a limit, so that the work per layer stays level.


# %%
def vgg(layers, n_classes=1000):
    """VGG from a list of channel counts and "M"; Simonyan and Zisserman 2014, table 1."""
    features, n_in = [], 3
    for item in layers:
        if item == "M":
            features.append(nn.MaxPool2d(2))
        else:
            features += [nn.Conv2d(n_in, item, 3, padding=1), nn.ReLU()]
            n_in = item
    return FeaturesThenClassifier(nn.Sequential(*features), 7, n_in, n_classes, dropout_first=False)


VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]

# %% [markdown]
# ## 2014: Inception's one by one
#
# A $1\times1$ filter sees a single pixel and mixes its channels. GoogLeNet, the network made of
# *Inception* modules, uses it to become narrow before an expensive layer. Here is the $5\times5$ branch of
# its first module, $192$ channels in and $32$ out, on $28\times28$ places: directly, and through $16$
# channels. (Torchvision's own GoogLeNet has a $3\times3$ here.) Lesson 9.4 meets the trick again, as the
# *bottleneck*.

# %%
direct = nn.Sequential(nn.Conv2d(192, 32, 5, padding=2))
through = nn.Sequential(nn.Conv2d(192, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 5, padding=2))
branch_costs = [total(survey(branch, (192, 28, 28)), "multiply_adds") for branch in (direct, through)]
print(f"direct {branch_costs[0]:,} multiply-adds, through 16 channels {branch_costs[1]:,}")
assert branch_costs[0] == 28 * 28 * 32 * 192 * 25
assert branch_costs[1] == 28 * 28 * (16 * 192 + 32 * 16 * 25) < branch_costs[0] / 9

# %% [markdown]
# ## 2015: ResNet, a road past every block
#
# VGG stopped at nineteen layers, where its error no longer fell; plain networks deeper than that train
# worse. ResNet adds each block's input to its output, so that a block only learns what to change; lesson
# 9.4 looks at why that works. Here we read its plan. The *basic block* has two $3\times3$; the
# *bottleneck* narrows by a $1\times1$, works, and widens again, fourfold. Where shapes change, the
# shortcut gets a $1\times1$ of its own (`downsample`).


# %%
def conv_norm(n_in, n_out, size, stride=1):
    """A convolution without bias (the norm has one) that keeps the sides at stride 1, and its norm."""
    conv = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)
    return conv, nn.BatchNorm2d(n_out)


class ResidualBlock(nn.Module):
    """relu(shortcut(x) + branch(x)); the branch is a list of (channels out, filter size, stride)."""

    def __init__(self, n_in, branch):
        super().__init__()
        channels, stride = n_in, 1
        for i, (n_out, size, step) in enumerate(branch, 1):  # conv1, bn1, conv2, bn2, ...
            conv, norm = conv_norm(channels, n_out, size, step)
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", norm)
            channels, stride = n_out, stride * step
        self.n_layers = len(branch)
        self.downsample = None
        if stride != 1 or channels != n_in:
            self.downsample = nn.Sequential(*conv_norm(n_in, channels, 1, stride))

    def forward(self, x):
        h = x
        for i in range(1, self.n_layers + 1):
            h = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(h))
            if i < self.n_layers:
                h = F.relu(h)
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


def basic(n_in, width, stride):
    """Two 3 × 3, the stride in the first; n_in channels to `width`."""
    return ResidualBlock(n_in, [(width, 3, stride), (width, 3, 1)])


def bottleneck(n_in, width, stride):
    """The stride in the 3 × 3, as torchvision has it."""
    return ResidualBlock(n_in, [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)])


def bottleneck_2015(n_in, width, stride):
    """The stride in the first 1 × 1, as the paper has it."""
    return ResidualBlock(n_in, [(width, 1, stride), (width, 3, 1), (4 * width, 1, 1)])


# %% [markdown]
# The rest is a *stem* that shrinks the image early, four stages of blocks, and one average over all places
# instead of AlexNet's and VGG's huge linear layers. That average was in GoogLeNet, too.


# %%
class ResNet(nn.Module):
    """(B, 3, H, W) -> scores (B, n_classes); He et al. 2015, table 1. blocks: how many in each stage."""

    def __init__(self, block, blocks, n_classes=1000):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, 64, 7, stride=2)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                layers.append(block(channels, 64 * 2**stage, 2 if stage and i == 0 else 1))
                channels = layers[-1].get_submodule(f"bn{layers[-1].n_layers}").num_features
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, n_classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, C, H / 32, W / 32)
        return self.fc(self.avgpool(x).flatten(1))  # (B, C, 1, 1) -> (B, C)


# %% [markdown]
# ## Does torchvision agree?
#
# Three examiners. Its parameter counts; its published multiply-adds, to all three decimals it gives
# (in thousand millions); and then outputs. For the counts everything stands on the meta device. The
# *memory* of a layer is the map it leaves, at four bytes a number: training keeps it until the backward
# pass. We count the layers that multiply; norms and ReLUs can often work in place.

# %%
families = {
    "AlexNet": (alexnet, models.alexnet, models.AlexNet_Weights.IMAGENET1K_V1),
    "VGG-16": (lambda: vgg(VGG16), models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
    "ResNet-18": (
        lambda: ResNet(basic, (2, 2, 2, 2)),
        models.resnet18,
        models.ResNet18_Weights.IMAGENET1K_V1,
    ),
    "ResNet-50": (
        lambda: ResNet(bottleneck, (3, 4, 6, 3)),
        models.resnet50,
        models.ResNet50_Weights.IMAGENET1K_V1,
    ),
}
bills, costs, top1 = {}, {}, {}
print(f"{'':20s}{'parameters':>14s}{'10⁹ mult-adds':>14s}{'MB of maps':>12s}{'top-1, %':>10s}")
for name, (ours, theirs, weights) in families.items():
    with torch.device("meta"):
        bills[name] = survey(ours(), (3, 224, 224))
        n_parameters = sum(p.numel() for p in theirs().parameters())
    billions = total(bills[name], "multiply_adds") / 1e9
    maps = 4 * sum(row["outputs"] for row in bills[name] if row["multiply_adds"]) / 1e6
    costs[name] = total(bills[name], "parameters") / 1e6, billions, maps
    top1[name] = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    print(f"{name:20s}{total(bills[name], 'parameters'):14,}{billions:14.3f}{maps:12.1f}{top1[name]:10.1f}")
    assert total(bills[name], "parameters") == n_parameters == weights.meta["num_params"]
    assert round(billions, 3) == weights.meta["_ops"]

# %% [markdown]
# Equal counts could still hide a wrong order. So torchvision's network lends its weights to ours, which
# was built without any: `assign=True` takes the tensors themselves and copies nothing. Random numbers go
# into the norms, or they would all be the identity. Another image size will do.


# %%
def largest_difference(name, x):
    """Largest gap between our network's and torchvision's scores under one set of weights, relative."""
    ours, theirs, _ = families[name]
    theirs = theirs().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.0)
    with torch.device("meta"):
        ours = ours().eval()
    ours.load_state_dict(theirs.state_dict(), assign=True)
    with torch.no_grad():
        expected = theirs(x)
        return ((ours(x) - expected).abs().max() / expected.abs().max()).item()


photo = torch.from_numpy(plt.imread(HERE / "data" / "coffee.jpg") / np.float32(255))  # (400, 600, 3)
x = photo[100:196, 200:296].permute(2, 0, 1)[None]  # (96, 96, 3) -> (1, 3, 96, 96)
differences = {}
for name in families:
    differences[name] = largest_difference(name, x)
    print(f"{name:20s}largest relative difference {differences[name]:.1e}")
    assert differences[name] < 1e-4  # float32, summed in other orders

# %% [markdown]
# ## Where the stride stands
#
# The paper gives ResNet-50 fewer multiply-adds than torchvision counts, and the bill tells why. In the
# paper the first $1\times1$ of a stage takes the stride, and throws three pixels in four away unseen.
# Torchvision lets the $3\times3$ take it: more work, but every pixel is looked at. Again we ask the
# gradient, this time of all outputs of one block's branch.

# %%
with torch.device("meta"):
    bill_2015 = survey(ResNet(bottleneck_2015, (3, 4, 6, 3)), (3, 224, 224))
billions_2015 = total(bill_2015, "multiply_adds") / 1e9
seen = {}
for name, block in (("in the 1 × 1", bottleneck_2015), ("in the 3 × 3", bottleneck)):
    x = torch.randn(2, 8, 8, 8, requires_grad=True)
    layer = block(8, 4, 2)
    layer.downsample = nn.Conv2d(8, 16, 1, stride=2)  # it skips pixels either way: we silence it
    nn.init.zeros_(layer.downsample.weight)
    out = layer(x)
    (out * torch.randn_like(out)).sum().backward()
    seen[name] = (x.grad.abs().sum(dim=(0, 1)) > 0).float().mean().item()
    print(f"stride {name}: {seen[name]:.0%} of the pixels seen")
print(f"multiply-adds: paper's form {billions_2015:.3f} · 10⁹, torchvision's {costs['ResNet-50'][1]:.3f}")
assert seen == {"in the 1 × 1": 0.25, "in the 3 × 3": 1.0}
assert 3.8 < billions_2015 < 3.9  # the paper's table 1 says 3.8
assert total(bill_2015, "parameters") == total(bills["ResNet-50"], "parameters")

# %% [markdown]
# ## Reading the bills
#
# Where do the parameters sit, and where is the work? In AlexNet and VGG nearly all parameters are in the
# linear layers at the end, nearly all work in the convolutions. ResNet has one small linear layer left.

# %%
linear_share = {}
print(f"{'share of linear':20s}{'parameters':>12s}{'mult-adds':>12s}")
for name, bill in bills.items():
    linear = [row for row in bill if row["kind"] == "Linear"]
    shares = [total(linear, key) / total(bill, key) for key in ("parameters", "multiply_adds")]
    linear_share[name] = shares
    print(f"{name:20s}{shares[0]:12.1%}{shares[1]:12.1%}")
for name in ("AlexNet", "VGG-16"):
    assert linear_share[name][0] > 0.85 and linear_share[name][1] < 0.1
for name in ("ResNet-18", "ResNet-50"):
    assert linear_share[name][0] < 0.1 and linear_share[name][1] < 0.001

# %% [markdown]
# Now layer by layer, along the longest way. Early layers see large maps with few channels, late ones small
# maps with many: so the memory goes to the front and the parameters to the back. How fast does the view
# widen? AlexNet leaps, VGG goes step by step, and both end a little short of the image's width; the
# ResNets see beyond it.

# %%
rows = {
    name: [row for row in bill if row["multiply_adds"] and "downsample" not in row["name"]]
    for name, bill in bills.items()
}
first_half = {}
print(f"{'first half of layers':20s}{'parameters':>12s}{'mult-adds':>12s}{'memory':>12s}")
for name, layers in rows.items():
    half, columns = layers[: len(layers) // 2], ("parameters", "multiply_adds", "outputs")
    first_half[name] = [total(half, key) / total(layers, key) for key in columns]
    print(f"{name:20s}" + "".join(f"{share:12.1%}" for share in first_half[name]))
    assert first_half[name][0] < 0.15 and first_half[name][2] > 0.75

last_field = {name: max(row["field"] or 0 for row in layers) for name, layers in rows.items()}
print("receptive field of the last convolution: " + ", ".join(f"{k} {v}" for k, v in last_field.items()))
assert last_field["AlexNet"] < last_field["VGG-16"] < 224
assert min(last_field["ResNet-18"], last_field["ResNet-50"]) > 224

# %%
quantities = {
    "parameters (10⁶)": lambda row: row["parameters"] / 1e6,
    "multiply-adds (10⁶)": lambda row: row["multiply_adds"] / 1e6,
    "memory (MB)": lambda row: 4 * row["outputs"] / 1e6,
    "field (pixels)": lambda row: row["field"] or np.nan,
}
fig, axes = plt.subplots(4, 4, figsize=(10, 9), layout="constrained", sharex="col", sharey="row")
for line, (label, quantity) in zip(axes, quantities.items()):
    for ax, layers in zip(line, rows.values()):
        for kind, color, hatch in (("Conv2d", "C0", None), ("Linear", "C1", "////")):
            bars = [(i, quantity(row)) for i, row in enumerate(layers, 1) if row["kind"] == kind]
            ax.bar(*zip(*bars), width=1, color=color, hatch=hatch, edgecolor="white", linewidth=0.3)
        ax.set_yscale("linear" if label.startswith("field") else "log")
    line[0].set_ylabel(label)
for top, bottom, name in zip(axes[0], axes[3], rows):
    top.set_title(name)
    bottom.axhline(224, color="0.7", linewidth=0.8, zorder=0)  # the image's side
    bottom.set_xlabel("layer with weights")
fig.suptitle("Memory goes to the early layers, parameters to the late (hatched: linear, which see all)")
plt.show()

# %% [markdown]
# And what does accuracy cost? *Top-1* is the share of photos whose first guess is right. The published
# values belong to torchvision's first weights; how networks are trained changed with the years too, not
# only the plan. Still: whatever is counted, VGG-16 pays most, and ResNet-50 guesses better.

# %%
for paid, most in zip(zip(*costs.values()), costs["VGG-16"], strict=True):
    assert max(paid) == most
assert max(top1, key=top1.get) == "ResNet-50"

fig, axes = plt.subplots(1, 3, figsize=(14, 3.6), layout="constrained", sharey=True)
for i, (ax, label) in enumerate(zip(axes, ("parameters (10⁶)", "multiply-adds (10⁹)", "memory (MB)"))):
    for (name, cost), marker in zip(costs.items(), "o^sD"):
        ax.plot(cost[i], top1[name], marker, markersize=9)
        ax.annotate(name, (cost[i], top1[name]), xytext=(0, -18), textcoords="offset points", ha="center")
    ax.set(xlabel=label, xscale="log", ylim=(50, 80))
    ax.margins(x=0.2)
axes[0].set_ylabel("published top-1 (%)")
fig.suptitle("VGG-16 costs most, however you count, and ResNet-50 wins")
plt.show()

# %% [markdown]
# ## One budget, three plans
#
# A last experiment, on clothes instead of a thousand classes. Small versions of three plans get the same
# budget of multiply-adds for training. A cheaper network sees more images for it.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
center, spread = train_images.mean(), train_images.std()
train_inputs = (train_images[:, None] - center) / spread  # (5000, 1, 28, 28)
test_inputs = (test_images[:, None] - center) / spread  # (1000, 1, 28, 28)


def small_lenet():
    """LeNet-5 for (B, 1, 28, 28)."""
    first = nn.Conv2d(1, 6, 5, padding=2)  # 28 pixels play the paper's 32
    return nn.Sequential(
        *(first, nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def small_vgg():
    """Three pairs of 3 × 3 with a pool behind each, and two linear layers, for (B, 1, 28, 28)."""
    layers = []
    for n_in, n_out in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(n_out, n_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 9, 64), nn.ReLU(), nn.Linear(64, 10))


def small_resnet():
    """Three basic blocks without an early shrinking, and one average over all places, for (B, 1, 28, 28)."""
    blocks = basic(8, 8, 1), basic(8, 16, 2), basic(16, 32, 2)
    stem = conv_norm(1, 8, 3)
    return nn.Sequential(*stem, nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


# %% [markdown]
# Adam with a rate that falls to zero, as in lesson 7.3, is the same for all. Backward costs about twice
# forward, for each of them, so counting forward work is fair.

# %%
budget = 8e9  # multiply-adds forward, over the whole training
batch_size = 64
accuracies, images_seen = {}, {}
print(f"{'':20s}{'mult-adds':>12s}{'images seen':>12s}{'test accuracy':>15s}")
for name, build in (("LeNet", small_lenet), ("VGG", small_vgg), ("ResNet", small_resnet)):
    torch.manual_seed(0)
    model = build()
    multiply_adds = total(survey(model, (1, 28, 28)), "multiply_adds")
    n_steps = int(budget / multiply_adds / batch_size)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / n_steps)
        batch = torch.randint(len(train_inputs), (batch_size,))
        loss = F.cross_entropy(model(train_inputs[batch]), train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracies[name] = (model(test_inputs).argmax(dim=1) == test_labels).double().mean().item()
    images_seen[name] = n_steps * batch_size
    print(f"{name:20s}{multiply_adds:12,}{images_seen[name]:12,}{accuracies[name]:15.1%}")

# %% [markdown]
# The oldest plan wins, and not by its wisdom: for so little work it sees several times as many images.
# ImageNet's race was run at budgets where the cheap network has long stopped improving. A plan is good for
# a budget; compare plans at yours.

# %%
assert images_seen["LeNet"] > 4 * max(images_seen["VGG"], images_seen["ResNet"])
assert accuracies["LeNet"] > 0.02 + max(accuracies["VGG"], accuracies["ResNet"])

# %% [markdown]
# ## What to remember
#
# - A convolution shares its weights, so its parameters are few and its work is much; a linear layer has
#   one multiply-add per weight.
# - Early layers cost memory, late ones parameters.
# - AlexNet and VGG keep most parameters in linear layers; GoogLeNet and ResNet average over places.
# - Small filters stacked see as far as a large one, for less; a $1\times1$ makes the map narrow before an
#   expensive layer.
# - A small difference in the plan, such as where a stride stands, shows in the bill: count.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Survey VGG-16 with ResNet's ending: average over all places, then one linear layer. What is left of
#    its parameters, and of its multiply-adds?
# 2. Survey ResNet-34 (`basic`, blocks `(3, 4, 6, 3)`) and ResNet-152 (`bottleneck`, `(3, 8, 36, 3)`).
#    Compare with `models.ResNet34_Weights.IMAGENET1K_V1.meta["_ops"]`, and with that of the other.
# 3. Multiply the last budget by ten. Who gains most?
#
# ## Sources
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
#   *Proceedings of the IEEE* 86, 1998, section II.B.
# - A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural
#   networks", NeurIPS 2012, section 3.5; A. Krizhevsky, "One weird trick for parallelizing convolutional
#   neural networks", 2014.
# - K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014,
#   section 2.3.
# - C. Szegedy et al., "Going deeper with convolutions", 2014, section 5.
# - K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015,
#   section 3.3 and table 1.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017: the images.
