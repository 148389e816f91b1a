# %% [markdown]
# # 10.7 Model costs: multiply-adds, parameters and memory, before anything runs
#
# A network is to run on a phone, and to be trained on a laptop whose graphics card has four gigabytes.
# Will it fit, how much work is one image, and with which batch does training run out of memory? All of
# this can be computed before the first training step, from the sizes of the layers, and it should be,
# because the number that papers quote, the multiply-adds, answers only one of these questions.
#
# **You will build** a bill that lists what each layer of any network costs, check it against PyTorch's
# own counter and published numbers, and a sum of what training keeps in memory. **You need** the count
# of multiply-adds (9.3), grouped convolutions (9.1), hooks (4.3), and what fills the memory (4.5).

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

# %% [markdown]
# ## On paper first
#
# A convolution with $3 \times 3$ filters and a stride of $2$ turns $8$ channels of $7 \times 7$ into
# $16$ channels of $3 \times 3$. Every output is a sum with one product for each weight of its filter,
# so the multiply-adds (9.3) are the outputs times the weights of one filter. With groups (9.1) a filter
# sees only its share of the channels; with $8$ groups it sees one, which is the depthwise case.
#
# $$\begin{aligned}
#   \text{outputs} \quad & 16 \cdot 3 \cdot 3 = 144 \\
#   \text{one group} \quad & 144 \cdot (8 \cdot 3 \cdot 3) = 10{,}368 \\
#   \text{eight groups} \quad & 144 \cdot (1 \cdot 3 \cdot 3) = 1{,}296
# \end{aligned}$$
#
# There is a way to let the layer count for itself. If all inputs and all weights are ones, every
# multiply-add adds $1$ to some output, so the sum of the outputs is their number.

# %%
for groups, expected in ((1, 10_368), (8, 1_296)):
    conv = nn.Conv2d(8, 16, 3, stride=2, groups=groups, bias=False)
    nn.init.ones_(conv.weight)
    with torch.no_grad():
        counted = int(conv(torch.ones(1, 8, 7, 7)).sum())  # (1, 8, 7, 7) -> (1, 16, 3, 3)
    print(f"groups {groups}: {counted:,} multiply-adds")
    assert counted == expected

# %% [markdown]
# ## The rule for one layer
#
# The same rule holds for linear layers, where the filter is a row of the weights, and for strides,
# dilation and any number of dimensions. In a transposed convolution it is each _input_ that meets one
# filter. Norms, activations and pooling multiply next to nothing, but they move data, so they get lines
# of their own on the bill.

# %%
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softmax)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
KINDS = ("k×k", "1×1", "depthwise", "linear", "norm", "activation", "pool", "other")


def kind_of(module):
    """The kind of a layer, one of KINDS."""
    if isinstance(module, NORMS):
        return "norm"
    if isinstance(module, ACTIVATIONS):
        return "activation"
    if isinstance(module, POOLS):
        return "pool"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, WEIGHTED + TRANSPOSED):
        if module.groups == module.in_channels > 1:
            return "depthwise"
        return "1×1" if math.prod(module.kernel_size) == 1 else "k×k"
    return "other"


def multiply_adds(module, x, out):
    """Multiply-adds with weights in one call of `module`, which made `out` of `x`, tensors of any shape."""
    if isinstance(module, WEIGHTED):
        return out.numel() * module.weight[0].numel()  # weight[0]: the filter of one output
    if isinstance(module, TRANSPOSED):
        return x.numel() * module.weight[0].numel()  # weight[0]: the filter of one input
    return 0


# %% [markdown]
# ## The bill of a network
#
# A hook on every layer notes a line for each call: its parameters, its multiply-adds, and the bytes that it
# must at least read and write, which are its input, its parameters and its output. A layer that is called
# twice works twice, but its parameters are stored once. The worst fault of a bill would be to leave
# something out without a word, so a layer with weights and without a rule is an error, and so are weights
# that no layer's call has used.


# %%
def bill_of(model, x):
    """What each layer's call in model(x) costs: a list of dicts with name, kind, parameters,
    multiply_adds and bytes.

    Products without weights, as in attention (12.2), pass no layer and are not on the bill. In training
    mode the call updates the averages of the norms, as any call does. Raises
    ValueError if a layer with weights has no rule, or if no layer's call used some of the weights.
    """
    names = {module: name for name, module in model.named_modules()}
    bill = []
    charged = set()  # the parameters that are on the bill already, by id

    def note(module, inputs, out):
        new = [p for p in module.parameters() if id(p) not in charged]
        charged.update(id(p) for p in new)
        kind = kind_of(module)
        if kind == "other" and new:
            raise ValueError(f"no rule for the work of {names[module]}, a {type(module).__name__}")
        x = inputs[0]
        n_numbers = x.numel() + out.numel() + sum(p.numel() for p in module.parameters())
        row = {"name": names[module], "kind": kind, "parameters": sum(p.numel() for p in new)}
        row["multiply_adds"] = multiply_adds(module, x, out)
        row["bytes"] = x.element_size() * n_numbers
        bill.append(row)

    handles = [m.register_forward_hook(note) for m in model.modules() if not list(m.children())]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    missing = [name for name, p in model.named_parameters() if id(p) not in charged]
    if missing:
        raise ValueError(f"no layer's call used {', '.join(missing)}")
    return bill


def total(bill, key, kind=None):
    """The sum of a bill's column `key`, over the lines of one kind if given."""
    return sum(row[key] for row in bill if kind in (None, row["kind"]))


# %% [markdown]
# ## The same in PyTorch
#
# PyTorch's `FlopCounterMode` watches the operators below the layers. It counts a multiply-add as two
# operations, so we expect exactly twice our number. (Published tables mostly count one, and call either
# "FLOPs", so the factor of two must be asked for.) First come settings that a wrong rule would not
# survive.

# %%
awkward = {
    "groups and stride": (nn.Conv2d(6, 9, (3, 2), stride=(2, 3), padding=1, groups=3), (2, 6, 11, 7)),
    "dilation": (nn.Conv2d(5, 7, 3, dilation=2), (1, 5, 13, 9)),
    "transposed": (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), (3, 6, 5, 4)),
    "one dimension": (nn.Conv1d(4, 3, 5), (2, 4, 17)),
    "linear, on tokens": (nn.Linear(7, 5, bias=False), (2, 3, 7)),
}
print(f"{'':20s}{'ours':>12s}{'PyTorch':>12s}")
for name, (layer, shape) in awkward.items():
    with FlopCounterMode(display=False) as counter:
        bill = bill_of(nn.Sequential(layer), torch.zeros(shape))
    print(f"{name:20s}{total(bill, 'multiply_adds'):12,d}{counter.get_total_flops():12,d}")
    assert 2 * total(bill, "multiply_adds") == counter.get_total_flops() > 0

# %% [markdown]
# All five agree, at two operations for each multiply-add. Now six famous networks from torchvision, built
# on the meta device (4.5), which knows shapes and stores no numbers, so that nothing is computed. The
# entries of their pretrained weights, which we do not download, state parameters, multiply-adds in $10^9$
# and the accuracy on ImageNet.

# %%
networks = {
    "AlexNet": (models.alexnet, models.AlexNet_Weights.IMAGENET1K_V1),
    "SqueezeNet 1.1": (models.squeezenet1_1, models.SqueezeNet1_1_Weights.IMAGENET1K_V1),
    "MobileNetV2": (models.mobilenet_v2, models.MobileNet_V2_Weights.IMAGENET1K_V1),
    "ResNet-18": (models.resnet18, models.ResNet18_Weights.IMAGENET1K_V1),
    "ResNet-50": (models.resnet50, models.ResNet50_Weights.IMAGENET1K_V1),
    "VGG-16": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
}
bills = {}
published = {name: weights.meta for name, (_, weights) in networks.items()}
print(f"{'':20s}{'parameters':>14s}{'multiply-adds':>18s}{'published, 10⁹':>18s}")
for name, (build, _) in networks.items():
    with torch.device("meta"):
        model = build().eval()
        image = torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        bills[name] = bill_of(model, image)
    counted_parameters = total(bills[name], "parameters")
    counted_work = total(bills[name], "multiply_adds")
    print(f"{name:20s}{counted_parameters:14,d}{counted_work:18,d}{published[name]['_ops']:18.3f}")
    assert 2 * counted_work == counter.get_total_flops()
    assert round(counted_work / 1e9, 3) == published[name]["_ops"]
    assert counted_parameters == published[name]["num_params"]

# %% [markdown]
# All agree to the last digit. Parameters and work are different things: AlexNet has fifty times as many
# parameters as SqueezeNet and only about twice the work, because most of its weights are in linear
# layers, where each is used once per image, while a convolution uses each weight at every place.
#
# ## Who does the multiplying?
#
# MobileNetV2 replaces a full $k \times k$ convolution by two layers, a depthwise one that looks at the
# neighbourhood in each channel, and a $1 \times 1$ that mixes the channels. Which kinds of layers do the
# work in each network, and which move the bytes?

# %%
share = {}  # network -> {kind: (share of the multiply-adds, share of the bytes)}
for name, bill in bills.items():
    totals = [total(bill, key) for key in ("multiply_adds", "bytes")]
    share[name] = {
        kind: (total(bill, "multiply_adds", kind) / totals[0], total(bill, "bytes", kind) / totals[1])
        for kind in KINDS
    }
print(f"{'share of the work':20s}" + "".join(f"{kind:>12s}" for kind in KINDS[:4]))
for name, shares in share.items():
    print(f"{name:20s}" + "".join(f"{shares[kind][0]:12.1%}" for kind in KINDS[:4]))
print(f"\n{'MobileNetV2':20s}" + "".join(f"{kind:>12s}" for kind in KINDS[:6]))
for i, words in enumerate(("of the work", "of the bytes")):
    print(f"{words:20s}" + "".join(f"{share['MobileNetV2'][kind][i]:12.1%}" for kind in KINDS[:6]))

# %% [markdown]
# VGG-16 spends nearly all of its work in $3 \times 3$ layers, and MobileNetV2 most of it in $1 \times 1$
# layers. The depthwise layers of MobileNetV2 do only a few per cent of the work. But look at the last two
# lines: depthwise layers, norms and activations together do less than a tenth of the work and move most of
# the bytes. Whether that matters for the time is the question of lesson 10.8.
#
# ## What training keeps
#
# Training holds the weights, their gradients and, with Adam, two averages for each weight (4.5),
# whatever the batch. For each image it also keeps what `backward` will need. Roughly, a layer with
# weights keeps its input, a norm its input too, and a ReLU its output, which the next layer keeps
# anyway. We measure it as in lesson 4.5, with hooks that see each tensor that autograd saves and count
# each storage once. Which of four networks keeps most for one image, and which needs most memory in
# all?


# %%
def kept_bytes(model, x):
    """Bytes that autograd keeps for the backward pass of model(x), the model's own tensors not counted."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    sizes = {}  # address of a storage -> its bytes

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = model(x)
    assert out.requires_grad  # `out` keeps all that was saved alive until here, so no address comes twice
    return sum(sizes.values())


def training_bytes(n_parameters, kept, batch_size, n_averages=2):
    """Bytes of float32 training: weights, gradients, the optimizer's averages, and `kept` per image."""
    return 4 * n_parameters * (2 + n_averages) + kept * batch_size


torch.manual_seed(0)
measured = ("AlexNet", "SqueezeNet 1.1", "MobileNetV2", "ResNet-18")
images = torch.randn(2, 3, 224, 224)
kept = {}
for name in measured:
    model = networks[name][0]().train()
    kept[name] = kept_bytes(model, images) / len(images)
    del model
print(f"{'MB':20s}{'weights':>12s}{'× 4, Adam':>12s}{'per image':>12s}{'batch 1':>12s}{'batch 64':>12s}")
for name in measured:
    counted_parameters = total(bills[name], "parameters")
    row = [4 * counted_parameters, 16 * counted_parameters, kept[name]]
    row += [training_bytes(counted_parameters, kept[name], batch_size) for batch_size in (1, 64)]
    print(f"{name:20s}" + "".join(f"{value / 1e6:12.1f}" for value in row))

batch_sizes = np.geomspace(1, 256, 60)  # (60,)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, style in zip(measured, ("-", "--", "-.", ":")):
    needed = training_bytes(total(bills[name], "parameters"), kept[name], batch_sizes)  # (60,)
    ax.loglog(batch_sizes, needed / 1e9, style, label=name)
ax.axhline(4, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="batch size", ylabel="memory of training with Adam (GB)", title="224 × 224 pixels, float32")
ax.legend()
plt.show()

# %% [markdown]
# On the left, where the curves are flat, the weights, their gradients and Adam's averages decide, and
# AlexNet needs by far the most. On the right, where they rise in proportion to the batch, what is kept for
# each image decides, and MobileNetV2 needs the most, although it has the fewest multiply-adds of the four.
# Its maps are wide, and most of them are kept three times: before the norm, after it (by its activation,
# ReLU6, which keeps its input), and after the activation. The grey line is the laptop of the opening: with
# four gigabytes MobileNetV2 stops at a batch of about fifty, while AlexNet goes on to several hundred.
# (Working memory of the kernels and the allocator's reserves come on top. For inference nothing is kept, so
# one layer's input and output are enough.)
#
# ## What do you get for it?
#
# A network is *dominated* if another one costs no more and is at least as accurate, and is better in
# one of the two. Those that are left form the *Pareto front*. But the cost can be any column of the
# bill. Are the fronts the same?


# %%
def pareto_front(cost, gain):
    """Names that no other dominates; cost and gain are dicts over the same names, less and more is better.

    Raises ValueError if the names differ.
    """
    if cost.keys() != gain.keys():
        raise ValueError(f"costs of {sorted(cost)} but gains of {sorted(gain)}")

    def dominates(a, b):
        better = cost[a] < cost[b] or gain[a] > gain[b]
        return better and cost[a] <= cost[b] and gain[a] >= gain[b]

    return [name for name in cost if not any(dominates(other, name) for other in cost)]


top1 = {name: meta["_metrics"]["ImageNet-1K"]["acc@1"] for name, meta in published.items()}
fronts = {}
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, key, unit in zip(axes, ("multiply_adds", "parameters"), (1e9, 1e6)):
    cost = {name: total(bill, key) for name, bill in bills.items()}
    fronts[key] = pareto_front(cost, top1)
    print(f"front by {key.replace('_', '-')}: " + ", ".join(fronts[key]))
    for name in networks:
        filled = "full" if name in fronts[key] else "none"
        ax.plot(cost[name] / unit, top1[name], "o", color="C0", fillstyle=filled)
        ax.annotate(
            name, (cost[name] / unit, top1[name]), xytext=(0, 7), textcoords="offset points", ha="center"
        )
    ax.set(xscale="log", ylim=(54, 79))
    ax.margins(x=0.2)
axes[0].set(xlabel="multiply-adds (10⁹)", ylabel="published accuracy (%)", title="Accuracy against work")
axes[1].set(xlabel="parameters (10⁶)", title="Accuracy against size")
fig.suptitle("Filled: on the Pareto front")
plt.show()

# %% [markdown]
# MobileNetV2 and ResNet-50 are on both fronts, and the old AlexNet and VGG-16 on neither. SqueezeNet is
# on the front by size, for which it was designed, and not by work, where MobileNetV2 is cheaper and far
# more accurate. So "efficient" needs the name of a column.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names
# the claim that no longer holds.

# %%
n_parameters = {name: total(bill, "parameters") for name, bill in bills.items()}
n_work = {name: total(bill, "multiply_adds") for name, bill in bills.items()}
assert n_parameters["AlexNet"] > 45 * n_parameters["SqueezeNet 1.1"], "fifty times the parameters"
assert n_work["AlexNet"] < 2.5 * n_work["SqueezeNet 1.1"], "and only about twice the work"
in_linear = total(bills["AlexNet"], "parameters", "linear")
assert in_linear > 0.9 * n_parameters["AlexNet"], "most of AlexNet's weights are in linear layers"
assert share["VGG-16"]["k×k"][0] > 0.98, "VGG-16 is all 3 × 3"
assert share["MobileNetV2"]["1×1"][0] > 0.8, "MobileNetV2 multiplies in its 1 × 1 layers"
light = [share["MobileNetV2"][kind] for kind in ("depthwise", "norm", "activation")]
assert sum(work for work, _ in light) < 0.1, "depthwise, norms and activations do little of the work"
assert sum(moved for _, moved in light) > 0.5, "and move most of the bytes"
assert min(measured, key=n_work.get) == "MobileNetV2", "MobileNetV2 has the least work of the four"
assert max(measured, key=kept.get) == "MobileNetV2", "and keeps the most for each image"
needed = {b: {n: training_bytes(n_parameters[n], kept[n], b) for n in measured} for b in (1, 64)}
assert max(measured, key=needed[1].get) == "AlexNet", "at batch 1 AlexNet needs the most memory"
assert max(measured, key=needed[64].get) == "MobileNetV2", "at batch 64 MobileNetV2 does"
largest = {name: (4e9 - 16 * n_parameters[name]) / kept[name] for name in measured}
assert 40 < largest["MobileNetV2"] < 60, "MobileNetV2 stops at a batch of about fifty"
assert largest["AlexNet"] > 200, "AlexNet goes on to several hundred"
assert "SqueezeNet 1.1" in fronts["parameters"], "SqueezeNet is on the front by size"
assert "SqueezeNet 1.1" not in fronts["multiply_adds"], "and not by work"
for front in fronts.values():
    assert {"MobileNetV2", "ResNet-50"} <= set(front), "MobileNetV2 and ResNet-50 are on both fronts"
    assert not {"AlexNet", "VGG-16"} & set(front), "AlexNet and VGG-16 are on neither"

# %% [markdown]
# ## What to remember
#
# - Multiply-adds are outputs times the weights of one filter. Ask of every table whether it counts one or
#   two operations for each.
# - Parameters, multiply-adds, bytes moved and memory are four different columns, and a network can be
#   first in one and last in another.
# - Training needs four times the weights with Adam, and what is kept for each image times the batch. At
#   large batches the second part decides, and it has little to do with the multiply-adds.
# - Count by the layers that were really called, and let the counter complain about what it does not know.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Train with plain SGD, which keeps no averages: set `n_averages=0` in `training_bytes`. From which
#    batch on does MobileNetV2 now need more than AlexNet? Calculate it, and read the figure.
# 2. Give the networks smaller images: replace `torch.empty(1, 3, 224, 224)` by
#    `torch.empty(1, 3, 160, 160)`. Which column of the second table changes, and by which factor? The
#    comparison with the published numbers will stop the run and say so.
# 3. From a blank cell after the one that defines `total`: the bill of a network of your own, two
#    convolutions and a linear layer for images of 28 × 28, and the same with the second convolution
#    replaced by a depthwise one and a $1 \times 1$. Compare their multiply-adds with your prediction.
#
# ## Sources
#
# - M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018: depthwise
#   layers, multiply-adds as the measure. Reproduced: "MobileNetV2 multiplies in its 1 × 1 layers".
# - F. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model
#   size", 2016. Reproduced: "fifty times the parameters".
# - PyTorch documentation, `torch.utils.flop_counter` and `torch.autograd.graph.saved_tensors_hooks`;
#   torchvision, _Models and pre-trained weights_: the published numbers.
