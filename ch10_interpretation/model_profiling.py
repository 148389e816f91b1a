# %% [markdown]
# # 10.8 Model profiling: where the time goes
#
# Two networks recognise the same images. One of them does a sixth of the multiply-adds of the other
# (10.7), and yet it may need half of its time, or more. Somebody who waits for an answer, or who pays
# for a rented GPU by the hour, gains nothing from a small number of multiply-adds alone. So time must be
# measured, and if it is too long, one must see which part of the network takes it.
#
# **You will build** a stopwatch that reports a sample instead of a number, a table of four networks in
# which three measures of cost disagree, and a profile that says which kind of layer takes the time. **You
# need** multiply-adds (10.7), and the waiting stopwatch and the roofline (4.5).

# %%
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function, schedule
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

cpu = torch.device("cpu")
device = torch.accelerator.current_accelerator(check_available=True) or cpu

# %% [markdown]
# ## On paper first
#
# Nine of ten calls take 10 ms, and one is interrupted and takes 60 ms. The mean says 15 ms, which no
# call took. The median (2.2) says what a usual call takes. Someone who waits cares about the slow
# calls, and for those there are *percentiles*: the $q$-th percentile is the time that $q$ % of the
# calls do not exceed. In a sorted sample of $n$ it stands at place $(n - 1)\, q / 100$, counted from
# zero, and between two values we go the rest of the way in a straight line.
#
# $$\begin{aligned}
#   \text{sorted} \quad & 10, 10, 10, 10, 10, 10, 10, 10, 10, 60 \\
#   \text{50th, place } 4.5 \quad & 10 \\
#   \text{90th, place } 8.1 \quad & 10 + 0.1 \cdot (60 - 10) = 15 \\
#   \text{99th, place } 8.91 \quad & 10 + 0.91 \cdot (60 - 10) = 55.5
# \end{aligned}$$
#
# The last line also shows a trap. With ten calls the 99th percentile is little more than the slowest
# call. Only with a few hundred does it lie among several values, so for fewer calls one should report
# the slowest and call it that.


# %%
def percentile(sample, q):
    """The q-th percentile (0 to 100) of a sequence of numbers, in a straight line between neighbours.

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
on_paper = [percentile(waits, q) for q in (50, 90, 99)]
print(f"mean {np.mean(waits):.1f}, percentiles 50, 90, 99:", np.round(on_paper, 2))
np.testing.assert_allclose(on_paper, [10, 15, 55.5])
np.testing.assert_allclose(on_paper, np.percentile(waits, (50, 90, 99)), rtol=1e-10)

# %% [markdown]
# ## A latency is a sample
#
# The *latency* is the time from the question to the answer. The stopwatch of lesson 4.5, which waits for
# the device before and after each call, now keeps all of its times. The first call chooses methods and
# allocates memory, so it is kept apart. We time 300 calls of a small network. What will the spread look
# like?


# %%
def synchronize(device):
    """Wait until `device` has done everything it was asked to."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def latencies(model, x, n):
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


torch.manual_seed(0)
small = nn.Sequential(
    nn.Conv2d(1, 16, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(32 * 49, 10),
).to(device)
digit = torch.randn(1, 1, 28, 28).to(device)
first, times = latencies(small, digit, n=300)
milliseconds = 1e3 * np.array(times)
marks = {q: percentile(milliseconds, q) for q in (50, 90, 99)}
print(f"first {1e3 * first:.3f} ms, then " + ", ".join(f"{q}th {value:.3f}" for q, value in marks.items()))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(milliseconds, ".", color="C0")
left.set(xlabel="call", ylabel="latency (ms)", yscale="log", title="In the order of the calls")
right.plot(np.sort(milliseconds), np.arange(1, 301) / 3, color="C0")
for (q, value), style in zip(marks.items(), ("-", "--", ":")):
    right.axvline(value, color="C1", linestyle=style, label=f"{q}th percentile")
right.set(xlabel="latency (ms)", ylabel="calls that are no slower (%)", xscale="log", title="Sorted")
right.legend()
plt.show()

# %% [markdown]
# Most calls lie close together, and a few take much longer, probably because the operating system gave the
# processor to another program in between. No call is as much faster than the others, since the work itself
# takes its time, so the spread has a long tail on one side only. The tail grows with whatever else the
# machine has to do. A mean mixes both parts, so a latency is reported by its median and a high percentile,
# with the machine, the number of threads and the batch.
#
# ## The same in PyTorch
#
# PyTorch's own stopwatch is `torch.utils.benchmark.Timer`. It makes the first call, waits for GPUs,
# repeats the call in blocks that are long enough for the clock, and gives the median of the blocks'
# means. An interruption counts in its block's mean, so on a busy machine we expect more than from our
# median of single calls. Beware of its default of one thread, which is why we pass the number.

# %%
n_threads = torch.get_num_threads()
timer = Timer("model(x)", globals={"model": small, "x": digit}, num_threads=n_threads)
with torch.inference_mode():
    measurement = timer.blocked_autorange(min_run_time=0.2)
print(f"ours {marks[50]:.3f} ms, Timer {1e3 * measurement.median:.3f} ms, {n_threads} thread(s)")

# %% [markdown]
# ## Parameters, work and time in one table
#
# Now four networks on one image each, with random weights, which take as long as trained ones.
# Parameters and multiply-adds are counted on the meta device by PyTorch's counter (two operations per
# multiply-add, 10.7), and the time is measured here. If work were time, the last column, time per
# multiply-add, would be constant. A picosecond (ps) is $10^{-12}$ seconds.

# %%
networks = {
    "AlexNet": models.alexnet,
    "SqueezeNet 1.1": models.squeezenet1_1,
    "MobileNetV2": models.mobilenet_v2,
    "ResNet-18": models.resnet18,
    "ResNet-50": models.resnet50,
    "VGG-16": models.vgg16,
}
parameters = {}
multiply_adds = {}
for name, build in networks.items():
    with torch.device("meta"):
        model = build().eval()
        image = torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    parameters[name] = sum(p.numel() for p in model.parameters())
    multiply_adds[name] = counter.get_total_flops() // 2

torch.manual_seed(0)
MEASURED = ("AlexNet", "SqueezeNet 1.1", "MobileNetV2", "ResNet-18")
x = torch.randn(1, 3, 224, 224).to(device)
clock = {}
built = {}
print(f"{'':16s}{'parameters':>12s}{'mult-adds':>16s}{'median, ms':>12s}{'slowest':>10s}{'ps each':>10s}")
for name in MEASURED:
    built[name] = networks[name]().eval().requires_grad_(False).to(device)
    _, clock[name] = latencies(built[name], x, n=11)
    median = percentile(clock[name], 50)
    counts = f"{parameters[name]:12,d}{multiply_adds[name]:16,d}"
    per_multiply_add = 1e12 * median / multiply_adds[name]
    print(f"{name:16s}{counts}{1e3 * median:12.1f}{1e3 * max(clock[name]):10.1f}{per_multiply_add:10.1f}")

orders = {
    "fewest parameters": sorted(MEASURED, key=parameters.get),
    "least work": sorted(MEASURED, key=multiply_adds.get),
    "shortest time": sorted(MEASURED, key=lambda name: percentile(clock[name], 50)),
}
for name, order in orders.items():
    print(f"{name:20s}" + " < ".join(order))
pace = {name: percentile(clock[name], 50) / multiply_adds[name] for name in MEASURED}
times_as_long = pace["MobileNetV2"] / pace["ResNet-18"]
print(f"a multiply-add takes {times_as_long:.1f} times as long in MobileNetV2 as in ResNet-18")

# %% [markdown]
# The orders by parameters and by work already differ: AlexNet has the most parameters, ResNet-18 the most
# work. The time has an order of its own, and it is the order on this machine, which another one, or a
# GPU, need not share. MobileNetV2 does a sixth of ResNet-18's work. The last line tells how much of that
# advantage on paper is lost: all of it if a multiply-add takes six times as long, none if it takes the same
# time. (With eleven calls we print the slowest and no percentile.) Why does a multiply-add not
# always cost the same?
#
# ## Why: operations per byte
#
# The roofline (4.5) says that work with $I$ operations for each byte that it moves runs at no more than
# $\min(P, B \cdot I)$, where $P$ is the peak in operations per second and $B$ the bandwidth in bytes
# per second. A depthwise $3 \times 3$ reads each number of its map and writes one, eight bytes, for
# nine multiply-adds, so $I = 18 / 8 = 2.25$. A linear layer for one image reads each weight, four
# bytes, for one multiply-add, so $I = 0.5$. A full $3 \times 3$ with 96 channels uses each number that
# it reads 96 times as often as the depthwise one. How fast do they run, and how near do they come to
# their limits? For $P$ we time the product of two large square matrices. There is no single $B$, because
# a small map stays in the processor's caches, from which it is read many times faster than from the
# memory. So for each layer we time a copy that moves as many bytes as the layer. Since these are limits,
# we take the best of several calls here.


# %%
class Copy(nn.Module):
    """Copies its input into memory that it keeps, as a module so that our stopwatch can time it."""

    def __init__(self, like):
        super().__init__()
        self.register_buffer("target", torch.empty_like(like))

    def forward(self, x):
        return self.target.copy_(x)


def best(model, x, n=30):
    """The shortest of n calls of model(x), in seconds."""
    return min(latencies(model, x, n)[1])


# %%
n_rows, side = (512, 28) if device == cpu else (4096, 224)  # a GPU needs more to do
square = nn.Linear(n_rows, n_rows, bias=False, device=device)
peak = 2 * n_rows**3 / best(square, torch.randn(n_rows, n_rows, device=device))
layers = {
    "3 × 3": (nn.Conv2d(96, 96, 3, padding=1, bias=False), (1, 96, side, side)),
    "1 × 1": (nn.Conv2d(96, 96, 1, bias=False), (1, 96, side, side)),
    "depthwise": (nn.Conv2d(96, 96, 3, padding=1, groups=96, bias=False), (1, 96, side, side)),
    "linear": (nn.Linear(1024, 1024, bias=False), (1, 1024)),
}
intensity = {}
rate = {}
limit = {}
print(f"peak {peak / 1e9:.0f} · 10⁹ operations per second")
print(f"{'':20s}{'ops per byte':>14s}{'10⁹ ops/s':>12s}{'limit':>12s}{'reached':>12s}")
for name, (layer, shape) in layers.items():
    layer = layer.to(device)
    inputs = torch.randn(shape).to(device)
    with torch.no_grad():
        out = layer(inputs)
    operations = 2 * out.numel() * layer.weight[0].numel()
    n_bytes = 4 * (inputs.numel() + layer.weight.numel() + out.numel())
    source = torch.randn(n_bytes // 8, device=device)  # half of the bytes are read, half are written
    bandwidth = n_bytes / best(Copy(source), source)
    intensity[name] = operations / n_bytes
    rate[name] = operations / best(layer, inputs)
    limit[name] = min(peak, bandwidth * intensity[name])
    numbers = f"{rate[name] / 1e9:12.1f}{limit[name] / 1e9:12.1f}{rate[name] / limit[name]:12.0%}"
    print(f"{name:20s}{intensity[name]:14.2f}{numbers}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.axhline(peak / 1e9, color="0.7", linewidth=0.8, zorder=0, label="peak")
for name in layers:
    ax.plot([intensity[name]] * 2, [rate[name] / 1e9, limit[name] / 1e9], ":", color="0.7", zorder=0)
    ax.annotate(name, (intensity[name], rate[name] / 1e9), xytext=(7, -12), textcoords="offset points")
ax.plot(intensity.values(), [value / 1e9 for value in limit.values()], "_", markersize=20, label="limit")
ax.plot(intensity.values(), [value / 1e9 for value in rate.values()], "o", label="measured")
ax.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="10⁹ operations per second")
ax.set(title="Four layers and their limits")
ax.margins(x=0.15, y=0.25)
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# The bars are the limits. The linear layer's is lowest, because it does little with each weight that it
# fetches, and the full convolutions have the highest, up to the peak. A point close to its bar is
# explained by the roofline. A point far below its bar is not: there the kernel itself loses time, perhaps
# because its loops are short, or because it first copies its input into another order. On one
# thread of a server's CPU we saw the full convolutions and the linear layer reach a large part of their
# limits, and the depthwise layer about a tenth of its own. So the operations per byte say what is
# possible, and only a measurement says what is reached. (A point may also stand above its bar, because
# the copy writes as much as it reads, and on a busy machine the points scatter.)
#
# ## Inside one call: the profiler
#
# `torch.profiler` records every operator with its beginning and its end. We mark the kinds of layers
# with `record_function`: a hook before each layer's call opens a range with a name, and a hook after it
# closes the range. The profiler's `schedule` skips the first call, lets itself warm up in the second
# and records three. For each kind we also add up the multiply-adds. In which kinds of layers does
# MobileNetV2 spend its work, and in which its time?


# %%
def kind_of(module):
    """A layer's kind: "depthwise", "convolution", or the name of its class."""
    if isinstance(module, nn.Conv2d):
        return "depthwise" if module.groups == module.in_channels > 1 else "convolution"
    return type(module).__name__


class Ranges:
    """Hooks that put a named range around every layer's call, and count work and calls by kind."""

    def __init__(self, model):
        self.open_ranges = []
        self.work = Counter()
        self.calls = Counter()
        self.handles = []
        for module in model.modules():
            if not list(module.children()):
                self.handles.append(module.register_forward_pre_hook(self.enter))
                self.handles.append(module.register_forward_hook(self.leave))

    def enter(self, module, inputs):
        opened = record_function(f"kind: {kind_of(module)}")
        opened.__enter__()  # what `with` would call; its block cannot begin in one hook and end in another
        self.open_ranges.append(opened)

    def leave(self, module, inputs, out):
        synchronize(out.device)
        self.open_ranges.pop().__exit__(None, None, None)
        self.calls[kind_of(module)] += 1
        if isinstance(module, nn.Conv2d | nn.Linear):
            self.work[kind_of(module)] += out.numel() * module.weight[0].numel()

    def remove(self):
        for handle in self.handles:
            handle.remove()


N_SKIPPED, N_RECORDED = 2, 3


def profile_by_kind(model, x):
    """The Ranges and the profile of five calls of model(x), of which the last three are recorded."""
    ranges = Ranges(model)
    activities = [ProfilerActivity.CPU]
    if x.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    plan = schedule(wait=1, warmup=1, active=N_RECORDED)
    try:
        with (
            torch.inference_mode(),
            profile(activities=activities, schedule=plan, profile_memory=True, acc_events=True) as prof,
        ):
            for _ in range(N_SKIPPED + N_RECORDED):
                model(x)
                prof.step()
    finally:
        ranges.remove()
    return ranges, prof


# %%
ranges, prof = profile_by_kind(built["MobileNetV2"], x)
averages = {event.key: event for event in prof.key_averages()}
seconds = {kind: averages[f"kind: {kind}"].cpu_time_total / 1e6 / N_RECORDED for kind in ranges.calls}
work_share = {kind: ranges.work[kind] / sum(ranges.work.values()) for kind in seconds}
time_share = {kind: value / sum(seconds.values()) for kind, value in seconds.items()}
calls = {kind: n // (N_SKIPPED + N_RECORDED) for kind, n in ranges.calls.items()}
print(f"{'MobileNetV2':20s}{'calls':>12s}{'of work':>12s}{'of time':>12s}")
for kind, n_calls in calls.items():
    print(f"{kind:20s}{n_calls:12d}{work_share[kind]:12.1%}{time_share[kind]:12.1%}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
places = np.arange(len(calls))
ax.barh(places - 0.2, [100 * work_share[kind] for kind in calls], 0.4, label="of the multiply-adds")
ax.barh(places + 0.2, [100 * time_share[kind] for kind in calls], 0.4, hatch="//", label="of the time")
ax.set_yticks(places, calls)
ax.invert_yaxis()
ax.set(xlabel="share (%)", title="MobileNetV2, one image, by kind of layer")
ax.legend()
plt.show()

# %% [markdown]
# Compare the two bars of each kind. The full convolutions do nearly all multiply-adds and take a
# smaller share of the time. Depthwise layers, norms and activations do next to none and take the rest:
# that is where the advantage on paper was lost. It also says what would help, for example to fold each
# norm into the convolution before it, as programs for phones do, so that its pass over the memory goes
# away. (The profiler itself costs time at every range, so shares of tiny layers are too large.)
#
# ## The operators below the layers
#
# The same recording can be read by operator. An operator's _self_ time leaves out the operators that it
# called in turn, so the self times add up to the whole. The memory column says how much an operator
# itself allocated less what it freed; most of it is asked for by way of `aten::empty`. Names that begin
# with `aten::` are PyTorch's operators, and we leave out our own ranges.

# %%
operators = [event for event in prof.key_averages() if event.key.startswith("aten::")]
slowest = sorted(operators, key=lambda event: -event.self_cpu_time_total)[:6]
print(f"{'operator':36s}{'calls':>8s}{'self, ms':>10s}{'MB':>8s}")
for event in slowest:
    n_calls = event.count // N_RECORDED
    allocated = event.self_cpu_memory_usage / N_RECORDED / 1e6
    self_time = event.self_cpu_time_total / N_RECORDED / 1e3
    print(f"{event.key:36s}{n_calls:8d}{self_time:10.2f}{allocated:8.1f}")
n_convolutions = averages["aten::conv2d"].count // N_RECORDED
print(f"{n_convolutions} convolutions in the recording")

# %% [markdown]
# On a CPU the convolutions' kernels lead the list, and after them come the norms and the activations. A
# long list of small operators, each with a few microseconds, would have meant that starting them costs more
# than running them. In that case a larger batch helps, or `torch.compile`, which joins them. On a machine
# without a GPU, PyTorch's CUDA build may print `gpuGetDeviceCount failed` or `No CUDA runtime is found`.
# Both are harmless: it has looked for a GPU and found none.
#
# ## The claims, checked
#
# Times belong to one machine and to what else it does, so no assert here is about a time. These hold for
# the counts.

# %%
assert orders["fewest parameters"] != orders["least work"], "parameters and work give different orders"
assert multiply_adds["MobileNetV2"] < multiply_adds["ResNet-18"] / 5, "MobileNetV2 does a sixth of the work"
assert abs(intensity["depthwise"] - 2.25) < 0.02, "a depthwise layer does 2.25 operations per byte"
assert abs(intensity["linear"] - 0.5) < 0.01, "a linear layer for one image does half an operation per byte"
assert intensity["3 × 3"] > 50 * intensity["depthwise"], "a full convolution does far more for each byte"
light = [kind for kind in calls if kind in ("depthwise", "BatchNorm2d", "ReLU6")]
assert sum(work_share[kind] for kind in light) < 0.1, "depthwise, norms and activations do little of the work"
assert sum(calls[kind] for kind in light) > 0.6 * sum(calls.values()), "and are most of the calls"
assert n_convolutions == calls["convolution"] + calls["depthwise"], "the recording has every convolution once"
assert sum(ranges.work.values()) == (N_SKIPPED + N_RECORDED) * multiply_adds["MobileNetV2"], (
    "the hooks count the same work as PyTorch's counter"
)

# %% [markdown]
# ## Going further
#
# Two tools for those who want to change what they have measured. No later lesson needs them.
#
# ### Three knobs
#
# Threads, batch and memory layout can be turned without any change of the result. A larger batch lets
# each weight that was fetched serve more images, which lowers the time per image, most of all on a GPU.
# But each request then waits for its batch, so its latency rises. The layout puts the channels of a
# pixel outermost, as is PyTorch's default, or innermost (`channels_last`), which suits many kernels
# better.

# %%
layouts = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
images = torch.randn(4, 3, 224, 224).to(device)
model = built["SqueezeNet 1.1"]
with torch.inference_mode():
    expected = model(images)
largest_gap = {}
print(f"{'ms per image':20s}{'batch 1':>12s}{'batch 4':>12s}")
for name, layout in layouts.items():
    model = model.to(memory_format=layout)
    inputs = images.contiguous(memory_format=layout)
    medians = [percentile(latencies(model, inputs[:n], n=5)[1], 50) / n for n in (1, 4)]
    print(f"{name:20s}" + "".join(f"{1e3 * median:12.1f}" for median in medians))
    with torch.inference_mode():
        largest_gap[name] = ((model(inputs) - expected).abs().max() / expected.abs().max()).item()
model = model.to(memory_format=torch.contiguous_format)

# %% [markdown]
# Compare the two columns, and then the two rows. On one thread of a server's CPU we saw channels last take
# about half of the time, and the larger batch change the time per image by less than a tenth. A GPU has
# thousands of threads to fill, and there the batch counts for more.
#
# ### The recording as a file
#
# A recording can be saved as a *trace*, a file for the timeline viewer Perfetto or for
# `chrome://tracing`, where each operator is a bar. It is JSON, so a program can read it as well: each
# entry has a name, a start and a duration in microseconds.

# %%
# a recording can be saved only once: to save it again, run from the top
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "trace.json"
    prof.export_chrome_trace(path.as_posix())  # the path is written into the file: no backslashes
    trace = json.loads(path.read_text(encoding="utf-8"))
events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]  # X: has a duration
in_trace = Counter(event["name"] for event in events if event.get("cat") == "cpu_op")
print(f"{len(events):,} events, among them {in_trace['aten::conv2d']} convolutions in {N_RECORDED} calls")

# %%
assert max(largest_gap.values()) < 1e-2, "the layout changes nothing but rounding"
assert in_trace["aten::conv2d"] == N_RECORDED * n_convolutions, "the file has every convolution"

# %% [markdown]
# ## What to remember
#
# - A latency is a sample. Warm up, wait for the device, and report the median and a high percentile, or
#   the slowest if the calls are few, with the machine, the threads and the batch.
# - Parameters, multiply-adds and time give different orders. Only the last is what users wait for.
# - The operations per byte set the limit of a layer, which is low for a linear layer at batch one. How
#   near a kernel comes to its limit must be measured.
# - Profile before you tune. The largest share of the time may be where the counts show nothing.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Give the linear layer 64 rows at once: in `layers` replace `(1, 1024)` by `(64, 1024)`. How many
#    operations per byte will it do, and where will its point move in the figure? (The assert about one
#    image will then rightly fail.)
# 2. Profile ResNet-18 instead: replace `profile_by_kind(built["MobileNetV2"], x)` by
#    `profile_by_kind(built["ResNet-18"], x)`. Which share of the time should norms and ReLUs take there,
#    and why less? Read the table by kind.
# 3. From a blank cell after the one that defines `latencies`: time the small network on batches of 1, 16
#    and 256 digits, and print the latency and the time per digit. Which of the two falls, which rises?
#    Compare with what this lesson says about batches.
#
# ## Sources
#
# - N. Ma et al., "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV
#   2018, section 2: why FLOPs do not predict speed. Reproduced: "a full convolution does far more for
#   each byte".
# - S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
#   multicore architectures", _CACM_ 52, 2009. Reproduced: "a linear layer for one image does half an
#   operation per byte".
# - J. Dean, L. A. Barroso, "The tail at scale", _CACM_ 56, 2013: why high percentiles matter.
# - PyTorch documentation: _torch.utils.benchmark_, _torch.profiler_.
