# %% [markdown]
# # 10.6 Model profiling: what a network costs, and where the time goes
#
# A removal firm quotes by the number of boxes. How long the day takes depends on the stairs, too, on the
# van, and on who waits for whom. A network's boxes are its multiplications, quickly counted and often
# quoted. Whether it answers in time, and whether it fits into memory, are other questions with other
# instruments.
#
# **You will build** a counter of multiply-adds and of the memory that training keeps, an honest stopwatch
# with percentiles, and a profile card for any model. **You need** the surveyor (9.3), and the stopwatch
# and the roofline (4.5).

# %%
import contextlib
import json
import math
import tempfile
import time
import weakref
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

cpu = torch.device("cpu")
device = torch.accelerator.current_accelerator(check_available=True) or cpu

# %% [markdown]
# ## On paper first
#
# Filters of $3\times3$ with stride $2$ turn $8$ channels of $7\times7$ into $16$ of $3\times3$: $144$
# outputs. Each costs one multiply-add for every weight of its filter, $8 \cdot 9 = 72$: together
# $10{,}368$. In $g$ *groups* an output sees only $8/g$ channels; at $g = 8$ it costs $9$, together
# $1{,}296$. Feed ones to weights of ones: every multiplication adds $1$ to the outputs, so their sum
# counts the work.

# %%
for groups, expected in ((1, 10_368), (8, 1_296)):
    conv = nn.Conv2d(8, 16, 3, stride=2, groups=groups, bias=False)
    nn.init.ones_(conv.weight)
    with torch.no_grad():
        counted = int(conv(torch.ones(1, 8, 7, 7)).sum())  # (1, 8, 7, 7) -> (1, 16, 3, 3)
    print(f"groups {groups}: {counted:,} multiply-adds")
    assert counted == expected

# %% [markdown]
# ## The counter
#
# One rule covers convolutions, with or without groups and strides, and linear layers: each output meets
# one filter. In a transposed convolution each *input* does. Norms, activations and pooling multiply next
# to nothing, and still take their time: they are listed apart, by the bytes that pass through them.

# %%
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softmax)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def kind_of(module):
    """A layer's row in the bill: by what it multiplies, or "norm", "activation", "pool", "other"."""
    for kind, classes in (("norm", NORMS), ("activation", ACTIVATIONS), ("pool", POOLS)):
        if isinstance(module, classes):
            return kind
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, WEIGHTED + TRANSPOSED):
        if module.groups == module.in_channels > 1:
            return "depthwise"
        return "1×1" if math.prod(module.kernel_size) == 1 else "k×k"
    return "other"


# %% [markdown]
# And the rule itself. `weight[0]` is the one filter, whatever the dimensions: with groups PyTorch stores
# it with the channels that it sees, and no others.


# %%
def multiply_adds(module, x, out):
    """Weights times numbers in one call of `module`, tensors x -> out of any shape it takes."""
    if isinstance(module, WEIGHTED):
        return out.numel() * module.weight[0].numel()
    if isinstance(module, TRANSPOSED):
        return x.numel() * module.weight[0].numel()
    return 0


# %% [markdown]
# Hooks (4.3) apply the rule wherever a layer is called, and so count a layer twice if it is called twice,
# its parameters once. A layer whose weights have no rule is an error, and so are weights that no layer's
# call used: a bill that leaves out a line is worse than none. Products without weights, such as
# attention's (12.2), pass no hook and stay off it.


# %%
def leaves(model):
    """(name, module) of every module without children."""
    return [
        (name, module) for name, module in model.named_modules() if not any(True for _ in module.children())
    ]


@contextlib.contextmanager
def listening(model, listener):
    """While open, listener(name, module, x, out) is called after each call of a module without children."""

    def hook_for(name):
        return lambda module, inputs, out: listener(name, module, inputs[0], out)

    handles = [module.register_forward_hook(hook_for(name)) for name, module in leaves(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# %% [markdown]
# Each call becomes a line of the bill. Its bytes are what it must at least read and write: its input, its
# parameters and its output, once each.


# %%
def bill_of(model, x):
    """A list of dicts, one a call of a layer: name, kind, parameters, multiply_adds, bytes.

    x: a batch that the model takes; bytes: the least that the call reads and writes.
    Raises ValueError where a layer has weights and no rule, or where no layer's call used some weights.
    """
    bill, seen = [], set()  # seen: the parameters that are on the bill, by id

    def note(name, module, x, out):
        kind, work = kind_of(module), multiply_adds(module, x, out)
        own = [p for p in module.parameters() if id(p) not in seen]
        seen.update(id(p) for p in own)
        if kind == "other" and own:
            raise ValueError(f"no rule for the work of {name}, a {type(module).__name__}")
        n_parameters = sum(p.numel() for p in module.parameters())
        moved = x.element_size() * (x.numel() + out.numel() + n_parameters)
        row = {"name": name, "kind": kind, "parameters": sum(p.numel() for p in own)}
        bill.append(row | {"multiply_adds": work, "bytes": moved})

    with listening(model, note), torch.no_grad():
        model(x)
    missing = [name for name, p in model.named_parameters() if id(p) not in seen]
    if missing:
        raise ValueError(f"no layer's call used {', '.join(missing)}")
    return bill


def total(bill, key, kind=None):
    """The sum of a bill's column `key`, over the rows of one kind if given."""
    return sum(row[key] for row in bill if kind in (None, row["kind"]))


# %% [markdown]
# ## Does the library agree?
#
# PyTorch's `FlopCounterMode` watches the operators below the modules, and counts a multiply-add as two
# operations. Beware of that factor in published tables, which mostly count one: papers say FLOPs for
# either. First the awkward settings, one by one.

# %%
awkward = {
    "groups and stride": (nn.Conv2d(6, 9, (3, 2), stride=(2, 3), padding=1, groups=3), (2, 6, 11, 7)),
    "dilation": (nn.Conv2d(5, 7, 3, dilation=2), (1, 5, 13, 9)),
    "transposed": (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), (3, 6, 5, 4)),
    "one dimension": (nn.Conv1d(4, 3, 5), (2, 4, 17)),
    "linear, on tokens": (nn.Linear(7, 5, bias=False), (2, 3, 7)),
}
for name, (layer, shape) in awkward.items():
    with FlopCounterMode(display=False) as counter:
        bill = bill_of(nn.Sequential(layer), torch.zeros(shape))
    print(f"{name:20s}{total(bill, 'multiply_adds'):12,d}{counter.get_total_flops():12,d} operations")
    assert 2 * total(bill, "multiply_adds") == counter.get_total_flops() > 0

# %% [markdown]
# Now six networks from torchvision, on the meta device (4.5), where the largest weighs nothing. Its weight
# entries, which download nothing, state the parameters and multiply-adds (in thousand millions), and the
# accuracy that we need later.

# %%
networks = {
    "AlexNet": (models.alexnet, models.AlexNet_Weights.IMAGENET1K_V1),
    "SqueezeNet 1.1": (models.squeezenet1_1, models.SqueezeNet1_1_Weights.IMAGENET1K_V1),
    "MobileNetV2": (models.mobilenet_v2, models.MobileNet_V2_Weights.IMAGENET1K_V1),
    "ResNet-18": (models.resnet18, models.ResNet18_Weights.IMAGENET1K_V1),
    "ResNet-50": (models.resnet50, models.ResNet50_Weights.IMAGENET1K_V1),
    "VGG-16": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
}
bills, published = {}, {name: weights.meta for name, (_, weights) in networks.items()}
print(f"{'':20s}{'parameters':>14s}{'multiply-adds':>18s}{'published, 10⁹':>18s}")
for name, (build, _) in networks.items():
    with torch.device("meta"):
        model, x = build().eval(), torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        bills[name] = bill_of(model, x)
    n_parameters, n_work = total(bills[name], "parameters"), total(bills[name], "multiply_adds")
    print(f"{name:20s}{n_parameters:14,d}{n_work:18,d}{published[name]['_ops']:18.3f}")
    assert 2 * n_work == counter.get_total_flops() and round(n_work / 1e9, 3) == published[name]["_ops"]
    assert n_parameters == published[name]["num_params"]

# %% [markdown]
# ## Who does the multiplying?
#
# MobileNetV2 replaces a dense $k \times k$ convolution by a pair: a *depthwise* one, where each
# channel has a filter of its own ($g = C$), and a $1\times1$ that mixes the channels. Most of its
# multiply-adds are in the second. The first is almost free, on this bill.

# %%
KINDS = ("k×k", "1×1", "depthwise", "linear", "norm", "activation", "pool", "other")
share = {
    name: {kind: total(bill, "multiply_adds", kind) / total(bill, "multiply_adds") for kind in KINDS}
    for name, bill in bills.items()
}
print(f"{'share of the work':20s}" + "".join(f"{kind:>12s}" for kind in KINDS[:4]))
for name, shares in share.items():
    print(f"{name:20s}" + "".join(f"{shares[kind]:12.1%}" for kind in KINDS[:4]))
mobile = bills["MobileNetV2"]
traffic = total(mobile, "bytes", "depthwise") / total(mobile, "bytes")
print(f"depthwise in MobileNetV2: {traffic:.1%} of the bytes that its layers move")
assert share["MobileNetV2"]["depthwise"] < 0.1 < traffic
assert share["MobileNetV2"]["1×1"] > 0.8 and share["VGG-16"]["k×k"] > 0.98

# %% [markdown]
# ## What training keeps
#
# Backward needs what forward computed (4.5), until it has passed. The rules: most layers keep their
# *input*, ReLU its *output* (positive or not is all it must know). Max pooling also keeps the place of
# each maximum, eight bytes, batch norm two numbers a channel, dropout its mask. ReLU6, which cuts off at
# six as well, keeps its input, as a copy if it writes over it. A tensor kept twice counts once: we
# collect storages.


# %%
def kept_by(module, x, out):
    """(tensors, further bytes) that autograd keeps for one call x -> out in training mode, on the CPU.

    Raises ValueError for a layer without a rule.
    """
    if isinstance(module, WEIGHTED + TRANSPOSED):
        return [x], 0
    if isinstance(module, nn.BatchNorm2d):
        return [x], 2 * 4 * module.num_features  # mean and 1 / deviation of the batch
    if isinstance(module, nn.ReLU):
        return [out], 0
    if isinstance(module, nn.ReLU6):
        return ([], 4 * x.numel()) if module.inplace else ([x], 0)
    if isinstance(module, nn.MaxPool2d):
        return [x], 8 * out.numel()
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return [x] if out.shape[-2:] != (1, 1) else [], 0  # a mean of all places needs only their number
    if isinstance(module, nn.Dropout):
        return [], x.element_size() * x.numel() * (module.p > 0)
    if isinstance(module, nn.Flatten | nn.Identity):
        return [], 0
    raise ValueError(f"no rule for what a {type(module).__name__} keeps")


def count_kept(model, x):
    """Bytes that a training step of model(x) keeps between forward and backward, by the rules."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept, extra = {}, 0

    def note(name, module, x, out):
        nonlocal extra
        tensors, further = kept_by(module, x, out)
        extra += further
        kept.update({tensor.untyped_storage().data_ptr(): tensor for tensor in tensors})  # alive: no reuse

    with listening(model, note):
        model(x)
    return extra + sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)


# %% [markdown]
# The measurement asks autograd itself. `saved_tensors_hooks` packs each saved tensor into a box of ours;
# when backward has used it, the box is thrown away, and a *finalizer* hears of it. Between the two the
# tensor occupies memory. So we see the memory rise and fall through a whole training step.


# %%
class Box:
    """Holds one saved tensor, for as long as autograd holds the box."""

    def __init__(self, tensor):
        self.tensor = tensor


def memory_of_a_step(model, x):
    """Bytes kept after each save and each release in forward and backward: (curve, index of the turn)."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    holders, curve = Counter(), [0]

    def release(place, n_bytes):
        holders[place] -= 1
        if holders[place] == 0:
            curve.append(curve[-1] - n_bytes)

    def pack(tensor):
        storage, box = tensor.untyped_storage(), Box(tensor)
        place = storage.data_ptr()
        if place not in own:
            holders[place] += 1
            if holders[place] == 1:
                curve.append(curve[-1] + storage.nbytes())
            weakref.finalize(box, release, place, storage.nbytes())
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
        out = model(x)
    turn = len(curve) - 1
    (out * torch.randn_like(out)).sum().backward()
    model.zero_grad()
    return curve, turn


# %% [markdown]
# Rules and measurement agree to the byte, and the memory peaks where forward turns into backward. Look at
# MobileNetV2: with the fewest multiply-adds it keeps the most. Its depthwise layers work on wide maps, and
# each wide map is kept three times: before the norm, before ReLU6, and after it.

# %%
torch.manual_seed(0)
measured = ("AlexNet", "SqueezeNet 1.1", "MobileNetV2", "ResNet-18")
built = {name: networks[name][0]() for name in measured}
x = torch.randn(1, 3, 224, 224)
curves, kept = {}, {}
print(f"{'MB, one image':20s}{'weights':>12s}{'by the rules':>14s}{'measured':>12s}")
for name, model in built.items():
    rules = count_kept(model.train(), x)
    curve, turn = memory_of_a_step(model, x)
    curves[name], kept[name] = (np.array(curve) / 1e6, turn), max(curve)
    weights = 4 * total(bills[name], "parameters")
    print(f"{name:20s}{weights / 1e6:12.1f}{rules / 1e6:14.1f}{max(curve) / 1e6:12.1f}")
    assert max(curve) == rules == curve[turn] and curve[-1] == 0
work = {name: total(bills[name], "multiply_adds") for name in measured}
assert min(work, key=work.get) == max(kept, key=kept.get) == "MobileNetV2"
assert work["MobileNetV2"] < work["ResNet-18"] / 6 and kept["MobileNetV2"] > 3 * kept["ResNet-18"]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (name, (curve, turn)), style in zip(curves.items(), ("-", "--", "-.", ":")):
    left.plot(np.linspace(0, 1, turn + 1), curve[: turn + 1], style, label=name)  # forward
    backward = np.linspace(1, 2, len(curve) - turn)
    left.plot(backward, curve[turn:], style, color=left.lines[-1].get_color())
left.axvline(1, color="0.7", linewidth=0.8, zorder=0)
left.set_xticks([0.5, 1.5], ["forward", "backward"])
left.set(ylabel="kept (MB, one image)", title="The peak is at the turn", ylim=0)
left.legend(fontsize=8)
for name in measured:
    place = total(bills[name], "multiply_adds") / 1e9, kept[name] / 1e6
    right.plot(*place, "o", color="C0")
    right.annotate(name, place, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
right.set(xscale="log", xlim=(0.15, 4), ylim=(0, 100))
right.set_xticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
right.minorticks_off()
right.set(title="MobileNetV2: least work, most memory")
right.set(xlabel="multiply-adds an image (10⁹)", ylabel="kept (MB, one image)")
plt.show()

# %% [markdown]
# ## How long? A sample, not a number
#
# Ten calls take ten milliseconds each, but one is interrupted and takes sixty. The mean says fifteen,
# which no call took. The *median* says ten. A user who waits cares about the slow ones: the *90th
# percentile* is the time that nine in ten calls keep. For a percentile $q$ of $n$ sorted times, walk to
# the place $(n - 1)\, q / 100$, between two neighbours where it falls there.


# %%
def percentile(sample, q):
    """The q-th percentile (0 to 100) of a sequence of numbers, linear between neighbours.

    Raises ValueError for an empty sequence, or a q outside 0 to 100.
    """
    ordered = sorted(sample)
    if not ordered or not 0 <= q <= 100:
        raise ValueError(f"no percentile {q} of {len(ordered)} numbers")
    place = (len(ordered) - 1) * q / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


waits = [10, 10, 10, 60, 10, 10, 10, 10, 10, 10]  # milliseconds
answers = [percentile(waits, q) for q in (0, 50, 90, 99, 100)]
print(f"mean {np.mean(waits):.1f}   percentiles 0, 50, 90, 99, 100:", np.round(answers, 2))
np.testing.assert_allclose(answers, np.percentile(waits, (0, 50, 90, 99, 100)), rtol=1e-10)
np.testing.assert_allclose(answers[1:4], [10, 15, 55.5])  # places 4.5, 8.1 and 8.91 of 9

# %% [markdown]
# The stopwatch of 4.5, which waits for the device before and after each call, now keeps the whole sample.
# The first call chooses kernels and allocates; it is reported apart and never mixed in. Nothing below
# asserts a time: times belong to a machine, and to what else it does.


# %%
def synchronize(device):
    """Wait until `device` has done everything it was asked to."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def latencies(model, x, n=5):
    """Seconds of the first call of model(x), in evaluation mode, and a list of those of the n after it."""
    times = []
    model.eval()
    with torch.inference_mode():
        for _ in range(n + 1):
            synchronize(x.device)
            started = time.perf_counter()
            model(x)
            synchronize(x.device)
            times.append(time.perf_counter() - started)
    return times[0], times[1:]


built = {name: model.requires_grad_(False).to(device) for name, model in built.items()}
x = torch.randn(1, 3, 224, 224).to(device)
clock = {}
print(f"{'ms, one image':20s}{'first':>10s}{'median':>10s}{'90th':>10s}{'mults/s, 10⁹':>14s}")
for name, model in built.items():
    first, clock[name] = latencies(model, x)
    median = percentile(clock[name], 50)
    row = "".join(f"{1e3 * t:10.1f}" for t in (first, median, percentile(clock[name], 90)))
    print(f"{name:20s}{row}{total(bills[name], 'multiply_adds') / median / 1e9:14.1f}")

# %% [markdown]
# If multiply-adds predicted time, the last column would be constant. Before asking why it is not, three
# knobs that anyone can turn: the *threads* on a CPU (we put the number back), the *batch*, and the
# *memory layout*, channels outermost as PyTorch's default has it, or innermost (`channels_last`). First a
# single layer, on one thread and on two. On a machine that others use, too, the second can cost more than
# it brings: each step waits for the slower of the two.


# %%
@contextlib.contextmanager
def threads(n):
    """While open, PyTorch computes on n CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


before, layer = torch.get_num_threads(), nn.Conv2d(64, 64, 3, padding=1).to(device)
maps = torch.randn(1, 64, 56, 56).to(device)
for n in (1, 2):
    with threads(n):
        assert torch.get_num_threads() == n
        print(f"{n} thread(s): median {1e3 * percentile(latencies(layer, maps)[1], 50):.1f} ms")
assert torch.get_num_threads() == before

# %% [markdown]
# None of the knobs may change the answer. A larger batch lets each weight that was fetched serve more
# images; on a GPU, where one image cannot keep all units busy, the time an image falls far. The *latency*
# of a request rises all the same: it waits for its batch.

# %%
layouts = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
torch.manual_seed(0)
images, model = torch.randn(4, 3, 224, 224).to(device), built["SqueezeNet 1.1"]
with torch.inference_mode():
    expected = model(images)
batch_sizes = (1, 2, 4)
print(f"{'ms an image':20s}" + "".join(f"{f'batch {n}':>12s}" for n in batch_sizes))
for name, layout in layouts.items():
    model, inputs = model.to(memory_format=layout), images.contiguous(memory_format=layout)
    medians = [percentile(latencies(model, inputs[:n], n=3)[1], 50) / n for n in batch_sizes]
    print(f"{name:20s}" + "".join(f"{1e3 * median:12.1f}" for median in medians))
    with torch.inference_mode():
        gap = (model(inputs) - expected).abs().max() / expected.abs().max()
    assert gap < 1e-2  # a GPU may round products to fewer bits
model = model.to(memory_format=torch.contiguous_format)

# %% [markdown]
# ## Why multiply-adds do not predict the time
#
# The roofline of 4.5: work with $I$ operations a byte runs at $\min(P, B \cdot I)$ at best. For a
# depthwise $3\times3$ each number of the map is read and written (eight bytes) for nine multiply-adds:
# $I = 2.25$. A dense one uses each number for all filters. A linear layer at batch one uses each weight
# once: $I = 0.5$.

# %%
layers = {
    "3×3": (nn.Conv2d(96, 96, 3, padding=1, bias=False), (1, 96, 56, 56)),
    "1×1": (nn.Conv2d(96, 96, 1, bias=False), (1, 96, 56, 56)),
    "depthwise": (nn.Conv2d(96, 96, 3, padding=1, groups=96, bias=False), (1, 96, 56, 56)),
    "linear": (nn.Linear(4096, 4096, bias=False), (1, 4096)),
}
points = {}
for name, (layer, shape) in layers.items():
    layer, x = nn.Sequential(layer).to(device), torch.randn(shape).to(device)
    row = bill_of(layer, x)[0]
    operations = 2 * row["multiply_adds"]
    points[name] = operations / row["bytes"], operations / percentile(latencies(layer, x, n=9)[1], 50)
    print(f"{name:20s}{points[name][0]:8.2f} operations a byte, {points[name][1] / 1e9:8.1f} · 10⁹ a second")
intensity = {name: point[0] for name, point in points.items()}
assert intensity["3×3"] > 5 * intensity["1×1"] and intensity["1×1"] > 5 * intensity["depthwise"]
assert abs(intensity["depthwise"] - 2.25) < 0.01 and abs(intensity["linear"] - 0.5) < 0.01

# %% [markdown]
# The two roofs of this machine come from its quickest product and its quickest large copy. With them each
# line of a bill gets the time that it takes at best, whichever roof is lower; norms and activations have
# bytes only. The sum is the network's time at best, if it runs layer by layer and all passes through
# memory.


# %%
def best_seconds(bill, peak, bandwidth):
    """Least time for a bill's layers one after another: peak in operations, bandwidth in bytes a second."""
    return sum(max(2 * row["multiply_adds"] / peak, row["bytes"] / bandwidth) for row in bill)


size = 256 if device == cpu else 8192
matrix = torch.randn(size, size, device=device)
numbers = torch.randn(2**24 if device == cpu else 2**28, device=device)  # too large for a cache
target = torch.empty_like(numbers)
peak = 2 * size**3 / percentile(latencies(nn.Linear(size, size, device=device), matrix, n=20)[1], 0)
copying = nn.Module()
copying.forward = target.copy_
bandwidth = 2 * 4 * numbers.numel() / percentile(latencies(copying, numbers)[1], 0)
print(f"product {peak / 1e9:,.0f} GFLOP/s, copy {bandwidth / 1e9:,.0f} GB/s")
print(f"{'ms, one image':20s}{'by mult-adds':>14s}{'by roofline':>14s}{'measured':>12s}")
for name in measured:
    by_work = 2 * total(bills[name], "multiply_adds") / peak
    by_roof, median = best_seconds(bills[name], peak, bandwidth), percentile(clock[name], 50)
    print(f"{name:20s}{1e3 * by_work:14.1f}{1e3 * by_roof:14.1f}{1e3 * median:12.1f}")
    assert by_roof >= by_work

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
axis = np.geomspace(0.1, 2000, 200)  # (200,)
ax.loglog(axis, np.minimum(peak, bandwidth * axis) / 1e9, "-", color="C1", label="the roof of this machine")
for name, (operations_per_byte, rate) in points.items():
    ax.loglog(operations_per_byte, rate / 1e9, "o", color="C0")
    ax.annotate(name, (operations_per_byte, rate / 1e9), xytext=(7, -12), textcoords="offset points")
ax.set(xlabel="arithmetic intensity (operations a byte)", ylabel="10⁹ operations a second")
ax.set(title="Depthwise and linear layers do little for each byte")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# The slanted roof is that of a copy, which writes as much as it reads. A layer that mostly reads, as the
# linear one, or that finds its map in a cache, may stand above it. What still misses is what no bill
# lists: the price of starting an operation, kernels that do not reach the roof, and layouts that are
# converted on the way. For that, look inside.
#
# ## Inside one call: the profiler
#
# `torch.profiler` records each operator with its beginning and end. With `record_function` we add ranges
# of our own, here one for each kind of layer; a hook before the call opens it, and one after closes it.


# %%
def profile_by_kind(model, x):
    """Seconds by kind of layer, and the profile, of one warm call of model(x), x: (B, ...)."""
    open_ranges, handles = [], []

    def enter(module, inputs):
        open_ranges.append(record_function(f"kind: {kind_of(module)}"))
        open_ranges[-1].__enter__()

    def leave(module, inputs, out):
        synchronize(x.device)
        open_ranges.pop().__exit__(None, None, None)

    for _, module in leaves(model):
        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        with torch.inference_mode():
            model(x)
            with profile(activities=[ProfilerActivity.CPU]) as prof:
                model(x)
    finally:
        for handle in handles:
            handle.remove()
    averages = {event.key: event.cpu_time_total / 1e6 for event in prof.key_averages()}
    return {kind: averages.get(f"kind: {kind}", 0.0) for kind in KINDS}, prof


model = built["MobileNetV2"]
by_kind, prof = profile_by_kind(model, images[:1])
time_share = {kind: seconds / sum(by_kind.values()) for kind, seconds in by_kind.items()}
print(f"{'MobileNetV2':20s}{'mult-adds':>12s}{'time':>12s}")
for kind in KINDS[:6]:
    print(f"{kind:20s}{share['MobileNetV2'][kind]:12.1%}{time_share[kind]:12.1%}")
assert {kind for kind, seconds in by_kind.items() if seconds > 0} == {
    row["kind"] for row in bills["MobileNetV2"]
}

# %% [markdown]
# The whole recording can be saved as a *trace*, a file for the timeline viewers of Chrome
# (`chrome://tracing`) and Perfetto. It is JSON, so we can read it as well: one entry an event, with its
# start and duration in microseconds. An operator's *self* time leaves out the operators it called.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "trace.json"
    prof.export_chrome_trace(path.as_posix())  # the path is written into the file: no backslashes
    trace = json.loads(path.read_text(encoding="utf-8"))
events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]  # X: has a duration
operators = Counter(event["name"] for event in events if event.get("cat") == "cpu_op")
ranges = Counter(event["name"] for event in events if event.get("cat") == "user_annotation")
n_convs = sum(isinstance(module, nn.Conv2d) for module in model.modules())
print(f"{len(events)} events; convolutions in the model {n_convs}, in the trace {operators['aten::conv2d']}")
assert operators["aten::conv2d"] == n_convs
assert ranges["kind: depthwise"] == sum(row["kind"] == "depthwise" for row in bills["MobileNetV2"])
slowest = sorted(prof.key_averages(), key=lambda event: -event.self_cpu_time_total)[:6]
print(f"{'operator':36s}{'calls':>8s}{'self, ms':>10s}")
for event in slowest:
    print(f"{event.key:36s}{event.count:8d}{event.self_cpu_time_total / 1e3:10.2f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
places, lean = np.arange(6), ("depthwise", "norm", "activation")
light = 100 * sum(share["MobileNetV2"][kind] for kind in lean)
lasts = 100 * sum(time_share[kind] for kind in lean)
shown = (share["MobileNetV2"], -0.2, "C0", "", "work"), (time_share, 0.2, "C1", "//", "time")
for values, shift, color, hatch, label in shown:
    percents = [100 * values[kind] for kind in KINDS[:6]]
    ax.barh(places + shift, percents, 0.4, color=color, hatch=hatch, label=f"of the {label}")
ax.set_yticks(places, KINDS[:6])
ax.invert_yaxis()
ax.set(xlabel="share of MobileNetV2 (%)")
ax.set_title(
    f"{', '.join(lean).capitalize()}: {light:.0f} % of the work, {lasts:.0f} % of the time", fontsize=11
)
ax.legend()
plt.show()

# %% [markdown]
# ## What you get for it
#
# Cost is half of the picture. A network is *dominated* if another costs no more and is at least as
# accurate, and better in one of the two. Those that are left form the *Pareto front*; which they are
# depends on which bill you read.


# %%
def pareto_front(cost, gain):
    """Names that no other beats; cost, gain: dicts over the same names; better is less cost, more gain.

    Raises ValueError where the names differ.
    """
    if cost.keys() != gain.keys():
        raise ValueError(f"costs of {sorted(cost)} but gains of {sorted(gain)}")

    def beats(a, b):
        better = cost[a] < cost[b] or gain[a] > gain[b]
        return better and cost[a] <= cost[b] and gain[a] >= gain[b]

    return [name for name in cost if not any(beats(other, name) for other in cost)]


top1 = {name: published[name]["_metrics"]["ImageNet-1K"]["acc@1"] for name in networks}
for key in ("multiply_adds", "parameters", "bytes"):
    front = pareto_front({name: total(bill, key) for name, bill in bills.items()}, top1)
    print(f"by {key.replace('_', '-'):17s}" + ", ".join(front))
memory_front = pareto_front(kept, {name: top1[name] for name in kept})
print(f"{'by memory kept':20s}" + ", ".join(memory_front))
work_front = pareto_front(work, {n: top1[n] for n in measured})
assert work_front == ["MobileNetV2"] and set(memory_front) >= {"AlexNet", "MobileNetV2"}

# %% [markdown]
# If work were time, both panels below would be one picture. On the right the same networks by the clock
# of this machine, with random weights, which take as long as trained ones. We print what a multiply-add
# costs in each.

# %%
price = {name: 1e12 * percentile(clock[name], 50) / work[name] for name in measured}  # picoseconds
for name, cost in price.items():
    print(f"{name:20s}{cost:8.1f} ps a multiply-add")
dear, cheap = max(price, key=price.get), min(price, key=price.get)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for name in networks:
    place = total(bills[name], "multiply_adds") / 1e9, top1[name]
    left.plot(*place, "o", color="C0", fillstyle="full" if name in measured else "none")
    left.annotate(name, place, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
for name in measured:
    place = 1e3 * percentile(clock[name], 50), top1[name]
    right.plot(*place, "o", color="C0")
    right.annotate(name, place, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
left.set(xscale="log", xlim=(0.15, 40), ylim=(52, 80))
left.set(xlabel="multiply-adds (10⁹)", ylabel="published accuracy (%)")
left.set_xticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
left.minorticks_off()
left.set(title="Accuracy against work (hollow: not timed)")
right.set(xlabel="median latency, one image (ms)", title="Accuracy against the clock")
right.set_xlim(0, 1.2e3 * max(percentile(times, 50) for times in clock.values()))
fig.suptitle(f"A multiply-add costs {price[dear] / price[cheap]:.1f} times as much in {dear} as in {cheap}")
plt.show()

# %% [markdown]
# ## The profile card
#
# One page for any model: what it is, what it costs to store, to run and to train, how long it takes here,
# and where to look first. We draw it up for a network of our own, after MobileNet's plan, on $28\times28$
# images.


# %%
def profile_card(model, x, n=20):
    """A page of text on model(x), x: a batch (B, ...); leaves the model in evaluation mode, on x's device."""
    bill = bill_of(model.eval(), x)
    first, times = latencies(model, x, n)
    work, moved = total(bill, "multiply_adds"), total(bill, "bytes")
    n_parameters, place = total(bill, "parameters"), f"{x.device.type}, {torch.get_num_threads()} thread(s)"
    waits = "   ".join(f"{q}th {1e3 * percentile(times, q):.2f}" for q in (50, 90, 99))
    lines = [
        f"{type(model).__name__} on {tuple(x.shape)}, {x.dtype}, {place}",
        f"  {'parameters':18s}{n_parameters:12,d}   {4 * n_parameters / 1e6:.2f} MB in float32",
        f"  {'multiply-adds':18s}{work:12,d}   {2 * work / moved:.2f} operations a byte",
        f"  {'latency (ms)':18s}first {1e3 * first:.2f}   {waits}",
    ]
    if x.device == cpu:  # the rules are those of the CPU
        lines.append(f"  {'kept in training':18s}{count_kept(model.train(), x):12,d} bytes")
    lines.append(f"  {'':18s}{'calls':>12s}{'of work':>12s}{'of bytes':>12s}")
    for kind in KINDS:
        rows = [row for row in bill if row["kind"] == kind]
        if rows:
            shares = f"{total(rows, 'multiply_adds') / work:12.1%}{total(rows, 'bytes') / moved:12.1%}"
            lines.append(f"  {kind:18s}{len(rows):12d}{shares}")
    for row in sorted(bill, key=lambda row: -row["multiply_adds"])[:3]:
        lines.append(f"  most work: layer {row['name']}, {row['kind']}, {row['multiply_adds']:,d}")
    model.eval()
    return "\n".join(lines)


torch.manual_seed(0)
small = nn.Sequential(
    *(nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
    *(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
    *(nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(32 * 49, 10)),
)
card = profile_card(small, torch.randn(8, 1, 28, 28))
print(card)
n_parameters = sum(p.numel() for p in small.parameters())
assert f"{n_parameters:,d}" in card and "99th" in card and "depthwise" in card

# %% [markdown]
# ## What to remember
#
# - Multiply-adds: outputs times the weights of one filter. Ask whether a table counts one or two for each.
# - Training keeps what backward needs; that can be most where the multiply-adds are fewest.
# - A latency is a sample: warm up, wait for the device, report the median and a high percentile, and say
#   which machine, how many threads, which batch.
# - Little work for each byte (depthwise, linear at batch one, norms) means that memory sets the time. A
#   trace shows the rest.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Build the networks with every ReLU's `inplace=False`. Does training keep more? Does it need more for a
#    moment?
# 2. Wrap half of the ResNet's blocks in `torch.utils.checkpoint.checkpoint`, which keeps a block's input
#    and computes the rest again on the way back. What does `memory_of_a_step` show now, and what can it
#    not see?
# 3. Print the card of the small network at batch 1 and at batch 256. Which numbers grow with the batch,
#    and which do not?
#
# ## Sources
#
# - M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018: depthwise
#   layers, multiply-adds as the measure.
# - N. Ma et al., "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV 2018,
#   section 2: why FLOPs do not predict speed.
# - S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
#   architectures", *CACM* 52, 2009.
# - PyTorch documentation, *torch.profiler* and `torch.autograd.graph.saved_tensors_hooks`; torchvision,
#   *Models and pre-trained weights*: the published numbers.
