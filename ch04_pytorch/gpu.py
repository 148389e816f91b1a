# %% [markdown]
# # 4.5 The GPU: when it pays, and what limits it
#
# A graphics processor, or *GPU*, carries out twenty million million multiplications in a second, a
# hundred times more than one core of an ordinary processor. And yet a small network can train more
# slowly on it than on the CPU, and a program that was moved to a GPU often leaves it idle for most of
# the time. Three numbers decide which it will be: how many operations there are, how many bytes have to be
# moved, and how many separate orders are placed, because each costs a fixed time. The first two can be
# computed on paper. Since language models are trained on thousands of such devices for months, the answer
# is worth a lot of money.
#
# **You will build** a stopwatch that can be trusted, the *roofline*, which says how fast a layer can be
# at best, a counter of the memory that training holds, and the training cycle in mixed precision on any
# device. **You need** tensors (4.1), modules (4.3) and the training cycle (4.4). Without an accelerator
# every cell runs on the CPU and says what would differ.

# %%
import importlib.util
import shutil
import statistics
import time
import warnings
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(globals().get("__file__", "")).parent
cpu = torch.device("cpu")
device = torch.accelerator.current_accelerator(check_available=True) or cpu
on_gpu = device.type != "cpu"
names = {cpu: "CPU"}
if on_gpu:
    names[device] = torch.cuda.get_device_name() if device.type == "cuda" else device.type
print("devices here:", ", ".join(names.values()) if on_gpu else "the CPU alone; its side is shown")

# %% [markdown]
# ## On paper first
#
# A processor has two speeds, $P$ operations per second and $B$ bytes per second to and from its memory.
# Work that does $I$ operations for each byte that it moves, its *arithmetic intensity*, cannot be faster
# than $P$ and not faster than $B \cdot I$. We take two examples with $n$ float32 numbers of 4 bytes
# along an axis, and a machine with $P = 1000$ and $B = 100$ (in thousand millions per second).
#
# $$\begin{aligned}
#   \text{add two vectors:} \quad & n \text{ operations}, \; 3 \cdot 4 n \text{ bytes}
#     && I = \tfrac{1}{12} && \min(1000,\; 100 \cdot \tfrac{1}{12}) = 8.3 \\
#   \text{multiply two matrices:} \quad & 2 n^3 \text{ operations}, \; 3 \cdot 4 n^2 \text{ bytes}
#     && I = \tfrac{n}{6} && \min(1000,\; 100 \cdot \tfrac{60}{6}) = 1000 \text{ for } n = 60
# \end{aligned}$$
#
# The addition reaches less than a hundredth of the machine's speed, however large $n$ is, because it
# waits for its bytes. The product can use all of it if $n$ is large enough. The two limits meet at
# $I = P / B$, the *ridge*.


# %%
def attainable(intensity, peak, bandwidth):
    """The roofline: operations per second at best. intensity: operations per byte; Williams et al. 2009."""
    return np.minimum(peak, bandwidth * intensity)


print(f"addition {attainable(1 / 12, 1000, 100):.1f}   product, n = 60: {attainable(60 / 6, 1000, 100):.0f}")
assert attainable(60 / 6, 1000, 100) == 1000 and round(float(attainable(1 / 12, 1000, 100)), 1) == 8.3

# %% [markdown]
# ## Where a tensor lives
#
# A GPU has a memory of its own. The operands of an operation must live in the same place, and only the
# program moves them: `x = x.to(device)` copies a tensor, `model.to(device)` moves a module (4.4). If they
# are in two places, the error says so. On any computer we can see it with the device "meta", whose
# tensors have a shape and no numbers. With that device, a model that would not fit into any memory can be
# tried out for its shapes.

# %%
try:
    mixture = torch.ones(2, 3) + torch.ones(2, 3, device="meta")
    refusal = "none"
except RuntimeError as error:
    refusal = str(error).split("\n")[0]
print("two places:", refusal)

huge = nn.Linear(200_000, 200_000, device="meta")
huge_output = huge(torch.empty(8, 200_000, device="meta"))  # (8, 200000) -> (8, 200000)
print(f"a layer of {huge.weight.numel() * 4 / 1e9:.0f} GB gives", tuple(huge_output.shape))

# %% [markdown]
# ## A stopwatch that waits
#
# A GPU works *asynchronously*, which means that a call puts an order in a queue and returns at once, and
# the GPU works through the queue. So a stopwatch around the call measures how long it takes to place the
# order. A toy with a queue shows it on any machine. (The toy begins when somebody waits for it; a real
# GPU works in the meantime.) What will the two lines say?


# %%
class ToyDevice:
    """Takes orders at once and carries them out, in order, when somebody waits."""

    def __init__(self):
        self.queue = []
        self.results = []

    def launch(self, function, *args):
        """Put function(*args) in the queue; returns at once."""
        self.queue.append((function, args))

    def synchronize(self):
        """Wait until every order is carried out."""
        while self.queue:
            function, args = self.queue.pop(0)
            self.results.append(function(*args))


toy = ToyDevice()
square = torch.randn(600, 600)
started = time.perf_counter()
for _ in range(5):
    toy.launch(torch.matmul, square, square)  # (600, 600) @ (600, 600) -> (600, 600)
n_before = len(toy.results)
print(f"after the calls:   {1e6 * (time.perf_counter() - started):8.0f} µs, {n_before} products exist")
toy.synchronize()
n_after = len(toy.results)
print(f"after waiting:     {1e6 * (time.perf_counter() - started):8.0f} µs, {n_after} products exist")

# %% [markdown]
# After five calls no product existed, and all the time passed while we waited. An honest measurement
# therefore makes one call first, because the first one allocates memory and chooses a method. Then it
# waits before starting and before stopping the clock, repeats, and takes the median. We compare it with a
# stopwatch that does not wait, a median of as many calls. On a CPU nothing is asynchronous, so the two
# should agree there, up to what else the computer is doing.


# %%
def synchronize(device):
    """Wait until `device` has done everything it was asked to."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds(function, device, rounds=5):
    """Median time of function() on `device`, after a first call, each call waited for."""
    function()
    times = []
    for _ in range(rounds):
        synchronize(device)
        started = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def naive_seconds(function, rounds=5):
    """Median time until function() returns, which on a GPU is before its work is done."""
    function()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


n = 4096 if on_gpu else 512
operand = torch.randn(n, n).to(device)
naive_time = naive_seconds(lambda: operand @ operand)  # (n, n) @ (n, n) -> (n, n)
honest_time = seconds(lambda: operand @ operand, device)  # (n, n) @ (n, n) -> (n, n)
print(f"product of {n} × {n} on the {names[device]}:")
print(f"without waiting {1e3 * naive_time:.3f} ms, with waiting {1e3 * honest_time:.3f} ms")

# %% [markdown]
# The value of a result cannot be known before it is computed, so `.item()`, `.tolist()`, `.cpu()` and
# `print` wait as well. A training loop that asks for `loss.item()` at each step makes the CPU wait for
# the GPU at each step, and the queue runs empty. That is why lesson 4.4 adds up tensors and asks once per
# epoch.
#
# ## When does it pay?
#
# A copy to the GPU and back over the *bus* has a fixed price for each order and a price for each byte.
# From *pinned* memory, which the operating system may not move, the bus can fetch by itself while the
# program goes on (`pin_memory=True` in a loader, `non_blocking=True` in `.to`). We compare products of
# growing matrices at three prices: on the CPU, on the GPU with the operands already there, and on the GPU
# with copies there and back. If there is no GPU, one with round, assumed numbers takes its place: ten
# microseconds for an order, $2 \cdot 10^{10}$ bytes per second over the bus and $2 \cdot 10^{13}$
# operations per second. From which size on do you expect it to pay?


# %%
def assumed_gpu(n, with_copies, order=1e-5, bus=2e10, peak=2e13):
    """Seconds for a product of n × n float32 matrices on a GPU with these round numbers."""
    copies = 3 * (order + 4 * n * n / bus) if with_copies else 0.0  # two operands there, the result back
    return order + 2 * n**3 / peak + copies


def crossover(sizes, home, away):
    """The smallest size from which on `away` takes less time than `home`, or None; lists of one length."""
    best = None
    for size, h, a in zip(reversed(sizes), reversed(home), reversed(away), strict=True):
        if a >= h:
            break
        best = size
    return best


def there_and_back(a, b):
    """The product of two matrices on the CPU, computed on the device."""
    return (a.to(device) @ b.to(device)).cpu()  # (n, n) @ (n, n) -> (n, n)


sizes = [16, 32, 64, 128, 256, 512, 1024] + ([2048] if on_gpu else [])
cpu_times = []
gpu_times = []
gpu_times_with_copies = []
for n in sizes:
    a = torch.randn(n, n)
    b = torch.randn(n, n)
    a_there = a.to(device)
    b_there = b.to(device)
    cpu_times.append(seconds(partial(torch.matmul, a, b), cpu))  # (n, n) @ (n, n) -> (n, n)
    if on_gpu:
        gpu_times.append(seconds(partial(torch.matmul, a_there, b_there), device))
        gpu_times_with_copies.append(seconds(partial(there_and_back, a, b), device))
    else:
        gpu_times.append(assumed_gpu(n, with_copies=False))
        gpu_times_with_copies.append(assumed_gpu(n, with_copies=True))
for name, times in {"operands there": gpu_times, "with copies": gpu_times_with_copies}.items():
    found = crossover(sizes, cpu_times, times)
    print(f"{name:20s}" + (f"pays from n = {found}" if found else "does not pay at these sizes"))

away = names[device] if on_gpu else "GPU (assumed numbers)"
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(sizes, cpu_times, "o-", color="C0", label="CPU, measured")
ax.loglog(sizes, gpu_times_with_copies, "^-.", color="C2", label=f"{away}, with copies")
ax.loglog(sizes, gpu_times, "s--", color="C1", label=f"{away}, operands there")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.set(xlabel="n", ylabel="seconds", title="Time for a product of two n × n matrices")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# The CPU's time grows with $n^3$ once $n$ is large. On the left both GPU curves are level, because
# placing the orders costs more than the work, and there the CPU is faster. The curves cross where a
# product has become large enough to be worth an order, and, with copies, later. So give a GPU much to do
# at a time, and leave the data there. A training loop copies one batch there and nothing back.
#
# ## The roofline of this machine
#
# The second limit is that of the bytes. A linear layer on a batch of $N$ examples does a multiplication
# and an addition for each example and weight, and has to read inputs and weights and write outputs:
#
# $$I = \frac{2 N n_\text{in} n_\text{out}}
#   {4\,(N n_\text{in} + n_\text{in} n_\text{out} + N n_\text{out})} .$$
#
# With one example, every weight is fetched for a single multiplication and addition, and $I$ is about
# $\frac12$. With a batch, each weight serves all examples. We measure the roof on this machine: $B$ as
# the speed of a copy, and $P$ as the best of a square product and a product of the layer's own shape at
# its largest batch. Then we measure the layer at five batch sizes. Which of the two limits will each of
# them meet?


# %%
def layer_work(batch_size, n_in, n_out, bytes_each=4):
    """Operations and least bytes of memory traffic of a linear layer without bias."""
    operations = 2 * batch_size * n_in * n_out
    n_numbers = batch_size * n_in + n_in * n_out + batch_size * n_out
    return operations, bytes_each * n_numbers


def product_rate(device, n_rows, n_in, n_out):
    """Measured operations per second of a product (n_rows, n_in) @ (n_in, n_out)."""
    a = torch.rand(n_rows, n_in, device=device)
    b = torch.rand(n_out, n_in, device=device)
    took = seconds(lambda: a @ b.T, device)  # (n_rows, n_in) @ (n_in, n_out) -> (n_rows, n_out)
    return 2 * n_rows * n_in * n_out / took


def copy_rate(device, n_bytes):
    """Measured bytes per second, read and written, of a copy of n_bytes within the device's memory."""
    source = torch.rand(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    return 2 * n_bytes / seconds(lambda: target.copy_(source), device)


batch_sizes = (1, 4, 16, 64, 256)
roofs = {}
points = {}
for place, name in names.items():
    width = 4096 if place is cpu else 8192  # so many weights do not fit into a cache
    rates = [product_rate(place, batch_size, width, width) for batch_size in batch_sizes]
    side = 1024 if place is cpu else 8192
    square_rate = product_rate(place, side, side, side)
    bandwidth = copy_rate(place, n_bytes=2**27 if place is cpu else 2**30)
    roofs[name] = (max(square_rate, rates[-1]), bandwidth)
    works = [layer_work(batch_size, width, width) for batch_size in batch_sizes]
    points[name] = [(work[0] / work[1], rate) for work, rate in zip(works, rates)]
    peak, _ = roofs[name]
    print(f"{name}: product {peak / 1e9:,.0f} GFLOP/s, copy {bandwidth / 1e9:,.0f} GB/s", end=", ")
    print(f"ridge at {peak / bandwidth:.1f} operations per byte")
intensities = [intensity for intensity, _ in points["CPU"]]
print("operations per byte:", [round(intensity, 1) for intensity in intensities])

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
axis = np.geomspace(0.1, 1000, 200)  # (200,)
for i, (name, (peak, bandwidth)) in enumerate(roofs.items()):
    roof = attainable(axis, peak, bandwidth) / 1e9
    ax.loglog(axis, roof, "-" if i == 0 else "--", color=f"C{i}", label=f"roof of the {name}")
    for batch_size, (intensity, rate) in zip(batch_sizes, points[name]):
        label = "a layer, by batch size" if i == 0 and batch_size == 1 else None
        ax.loglog(intensity, rate / 1e9, "os"[i], color="0.2", fillstyle="none", label=label)
        beside = {"xytext": (6, -12), "textcoords": "offset points", "fontsize": 9}
        ax.annotate(f"{batch_size}", (intensity, rate / 1e9), **beside)
ax.set(xlabel="arithmetic intensity (operations per byte)", ylabel="GFLOP/s")
ax.set_title("A linear layer at five batch sizes, and the roofline")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# The numbers beside the points are batch sizes. Left of the ridge, where the roof slopes, the memory
# sets the speed, and computing more for each byte is free. Right of it the roof is level, and the
# multipliers set the speed. A point on the slope may lie above the roof, because a copy, which writes as
# much as it reads, does not reach the memory's full speed, or because part of the data was still in a
# cache. A point far below paid for something else, on a GPU often for placing the order.
#
# This figure answers the question of the opening for a layer: small batches leave most of the processor
# idle. It also says what helps: on the slope, fewer bytes help, for example numbers of 16 bits, and on
# the level part only faster multipliers do.
#
# ## What fills the memory
#
# Training holds the weights, their gradients, and the optimizer's own tensors (Adam, lesson 7.2, keeps
# two averages for each weight). None of these depends on the batch, but `backward` needs what `forward`
# computed (4.2), and that grows with the batch. `saved_tensors_hooks` shows us every tensor that
# autograd keeps. For a network from 196 pixels over 64 units to 10 scores, which tensors do you expect,
# and from which batch size on are they larger than all the rest?


# %%
def saved_bytes(model, x):
    """Bytes that autograd keeps for the backward pass of model(x), the model's own tensors not counted."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    sizes_by_address = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes_by_address[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = model(x)
    assert out.requires_grad  # and keeps what was saved alive until here
    return sum(sizes_by_address.values())


def make_model():
    """A network for pictures of 14 × 14 pixels, the same every time, on the CPU."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10))


model = make_model().to(device)
weight_bytes = sum(4 * parameter.numel() for parameter in model.parameters())
kept_bytes = {size: saved_bytes(model, torch.randn(size, 196).to(device)) for size in (1, 64, 256, 1024)}
print(f"weights, gradients and Adam's two averages: {4 * weight_bytes:,} bytes")
for size, n_bytes in kept_bytes.items():
    print(f"batch {size:5d}   kept for backward {n_bytes:10,d} bytes, {n_bytes / size:.0f} per example")

# %% [markdown]
# For each example 1,040 bytes are kept: $196 + 64$ numbers, the input, which the first layer needs for
# the gradient of its weights, and the output of the ReLU, which serves both the ReLU and the last layer.
# At a batch of 64 the weights and their company still need more, and at 256 the batch does. If memory
# runs out, a smaller batch is therefore the first thing to try, and several small batches can add up
# their gradients (4.2).
#
# ## Half the bits: mixed precision
#
# Numbers of 16 bits halve the bytes, and GPUs multiply them many times faster. There are two kinds of
# them. *float16* has about three digits and a short range, and *bfloat16* has the range of float32 and
# only about two digits. The gradients of a network are often tiny, so what becomes of a gradient of
# $10^{-8}$ on its way back through a number of 16 bits?


# %%
def tiny_gradient(dtype, scale):
    """The gradient of 1e-8 · w, where w goes through `dtype`; the loss is multiplied by `scale` first."""
    w = torch.tensor(1.0, requires_grad=True)
    loss = w.to(dtype).float() * 1e-8
    (scale * loss).backward()
    return w.grad.item() / scale


gradients = {}
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    name = str(dtype).removeprefix("torch.")
    grain = torch.tensor(1.001).to(dtype).item()
    largest = torch.finfo(dtype).max
    gradients[name] = tiny_gradient(dtype, scale=1.0)
    print(f"{name:12s}1.001 is {grain:.6g}, the largest is {largest:.3g}, the gradient {gradients[name]:.3g}")
gradients["float16, scaled"] = tiny_gradient(torch.float16, scale=2.0**16)
print(f"float16, with the loss multiplied by 65,536 before backward: {gradients['float16, scaled']:.3g}")

# %% [markdown]
# In float16 the gradient has become zero, and such a weight would never learn. The remedy is to multiply
# the _loss_ by a large number, the scale. By the chain rule all gradients are then multiplied by it, so
# they stay within the range, and they are divided by the scale before the step. This is what
# `torch.amp.GradScaler` does. If the scale was too large and a gradient overflows, it skips the step and
# halves the scale. With bfloat16, which has the range of float32, it is not needed.
#
# The weights themselves stay in float32, because otherwise a small update would be rounded away: the
# next number above $1$ in float16 is about $1.001$. *Autocast* chooses a type for each operation inside
# its block, so that products run in 16 bits, and `backward` follows. This combination is called *mixed
# precision*. Here is the whole cycle of lesson 4.4 with it, on any device: loader, modes, scheduler, and
# evaluation. On CUDA the type of 16 bits is float16, and elsewhere it is bfloat16. Will the losses
# differ from those in float32, and by how much?

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
pictures = train_images[:, ::2, ::2].flatten(1)  # (5000, 14, 14) -> (5000, 196)
train_set = TensorDataset(pictures[:4000], train_labels[:4000])
valid_pictures = pictures[4000:]  # (1000, 196)
valid_labels = train_labels[4000:]  # (1000,)


def fit(device, half=None, n_epochs=3, batch_size=64):
    """Train on `device`, always with the same start and batches; half: None, or a 16-bit type for autocast.

    Returns the losses of all steps and the validation accuracy of each epoch.
    """
    model = make_model().to(device)  # random numbers are drawn on the CPU, so every device starts alike
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=n_epochs)
    scaler = torch.amp.GradScaler(device.type, enabled=half == torch.float16)
    # autocast wants a dtype even where it is switched off, so without `half` any 16-bit type will do
    mixed = {"device_type": device.type, "dtype": half or torch.bfloat16, "enabled": half is not None}
    on_cuda = device.type == "cuda"
    generator = torch.Generator().manual_seed(0)
    batches = DataLoader(train_set, batch_size, shuffle=True, generator=generator, pin_memory=on_cuda)
    losses = []
    accuracies = []
    for _ in range(n_epochs):
        model.train()
        for x, y in batches:
            x = x.to(device, non_blocking=True)
            y = y.to(device, non_blocking=True)
            with torch.autocast(**mixed):
                scores = model(x)  # (B, 196) -> (B, 10)
                loss = F.cross_entropy(scores.float(), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()  # outside of autocast
            scaler.step(optimizer)  # divides by the scale, and skips the step if a gradient is not finite
            scaler.update()
            losses.append(loss.detach())  # asking for its value would wait
        scheduler.step()
        model.eval()
        with torch.no_grad(), torch.autocast(**mixed):
            answers = model(valid_pictures.to(device)).argmax(dim=1).cpu()  # (1000, 196) -> (1000,)
        accuracies.append((answers == valid_labels).double().mean().item())
    return [loss.item() for loss in losses], accuracies


half = torch.float16 if device.type == "cuda" else torch.bfloat16
full_losses, full_accuracies = fit(device)
mixed_losses, mixed_accuracies = fit(device, half)
gap = max(abs(a - b) for a, b in zip(full_losses, mixed_losses, strict=True))
print("validation accuracy, float32: " + " ".join(f"{value:.3f}" for value in full_accuracies))
print("validation accuracy, mixed:   " + " ".join(f"{value:.3f}" for value in mixed_accuracies))
print(f"largest gap of the loss at any step: {gap:.4f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
batch_axis = list(kept_bytes)
left.loglog(batch_axis, [4 * weight_bytes / 1e6] * 4, "o-", color="C0", label="weights, gradients, Adam")
left.loglog(
    batch_axis, np.array(list(kept_bytes.values())) / 1e6, "s--", color="C1", label="kept for backward"
)
left.set(xlabel="batch size", ylabel="memory (MB)", title="What training holds in memory")
left.legend()
right.plot(full_losses, "-", color="C0", label="float32")
right.plot(mixed_losses, "--", color="C1", label=f"mixed, {str(half).removeprefix('torch.')}")
right.set(xlabel="step", ylabel="loss (nats)", ylim=0, title="Training in full and in mixed precision")
right.legend()
plt.show()

# %% [markdown]
# On the left, the dashed line crosses the level one between the batch sizes 64 and 256, as computed
# above. On the right the two curves lie on each other: rounding to 16 bits changes the loss far less than
# going from one batch to the next does. The time is not compared here, because this network is too small
# to gain any. With large layers, on a GPU that multiplies 16-bit numbers several times faster, the gain
# can be more than twofold.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert "device" in refusal, "operands in two places are refused"
assert (n_before, n_after) == (0, 5), "the calls return before any product exists"
if on_gpu:
    assert naive_time < honest_time, "on a GPU, a stopwatch that does not wait measures the order"
assert cpu_times[0] < gpu_times_with_copies[0], "the CPU is faster than orders and copies for a small product"
assert abs(intensities[0] - 0.5) < 0.01, "with one example a layer does half an operation per byte"
assert intensities == sorted(intensities), "a larger batch does more operations per byte"
cpu_rates = [rate for _, rate in points["CPU"]]
assert cpu_rates[-1] > cpu_rates[0], "the layer does more operations per second on a large batch"
per_example = {n_bytes / size for size, n_bytes in kept_bytes.items()}
assert per_example == {4 * (196 + 64)}, "backward keeps the input and the hidden layer of each example"
assert kept_bytes[64] < 4 * weight_bytes < kept_bytes[256], "from some batch size on, the batch needs more"
assert gradients["float16"] == 0, "a gradient of 1e-8 vanishes in float16"
assert abs(gradients["float16, scaled"] / 1e-8 - 1) < 1e-3, "it survives if the loss is scaled"
assert 0 < gap < 0.1, "the losses in mixed precision stay close to those in float32"
assert abs(mixed_accuracies[-1] - full_accuracies[-1]) < 0.02, "and so does the accuracy"

# %% [markdown]
# ## Going further
#
# This part, which can be skipped, shows the scaler at work when its scale is too large, how one kernel
# can replace four, and how far two devices agree.
#
# ### A scale that is too large
#
# We begin with a scale so large that the scaled gradient overflows float16, and watch. Which steps move
# the weight?

# %%
w = torch.tensor(1.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**18)
scales = []
weights = []
for step in range(5):
    loss = w.to(torch.float16).float()  # its gradient is 1; the scaled one passes through float16
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    scales.append(scaler.get_scale())
    weights.append(w.item())
    print(f"step {step}   next scale {scales[-1]:8,.0f}   weight {weights[-1]:.2f}")

# %% [markdown]
# Float16 ends at 65,504, so the first three steps are skipped, and the scale is halved each time, until
# the gradient fits. From then on the weight moves.
#
# ### Fewer trips to memory: compile
#
# A chain of elementwise operations, carried out one after the other, is limited by the memory, because
# each of them reads its input and writes its output. `torch.compile` writes one program for the device,
# called a kernel, for the whole chain, which reads once and writes once. Its first call takes long and
# needs a compiler (and for GPUs the package Triton), so the course uses it on CUDA only.


# %%
def chain(x):
    """Four elementwise operations."""
    return torch.tanh(x * 2 + 1).relu()


n_numbers = 2**22
one_kernel = 2 * 4 * n_numbers  # bytes: every float32 number is read once and written once
eager = 4 * one_kernel  # by each of the four operations
print(f"one after the other {eager / 1e6:.0f} MB, in one kernel {one_kernel / 1e6:.0f} MB")
signal = torch.randn(n_numbers).to(device)
print(f"one after the other on the {names[device]}: {1e3 * seconds(lambda: chain(signal), device):.3f} ms")
can_compile = (shutil.which("cc") or shutil.which("gcc")) and importlib.util.find_spec("triton")
if device.type == "cuda" and can_compile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on settings that do not matter here
        compiled = torch.compile(chain)
        torch.testing.assert_close(compiled(signal), chain(signal))
    print(f"compiled: {1e3 * seconds(lambda: compiled(signal), device):.3f} ms")
else:
    print("on a CUDA GPU the compiled chain would stand beside it")

# %% [markdown]
# ### The same result everywhere?
#
# A float32 sum depends on the order of its terms (4.1), and every device has its own order. How large are
# the differences of one product, if only the order is changed on the same CPU, and how large do they
# become in training?

# %%
a = torch.randn(256, 512)
b = torch.randn(512, 128)
order = torch.randperm(512)
exact = a.double() @ b.double()  # (256, 512) @ (512, 128) -> (256, 128)
variants = {"CPU": a @ b, "CPU, other order": a[:, order] @ b[order]}  # (256, 512) @ (512, 128), twice
if on_gpu:
    variants[names[device]] = there_and_back(a, b)
errors = {}
for name, product in variants.items():
    errors[name] = ((product.double() - exact).abs().max() / exact.abs().max()).item()
    print(f"{name:24s}largest error, relative to the largest entry: {errors[name]:.1e}")
cpu_losses, _ = fit(cpu, n_epochs=1)
device_losses, _ = fit(device, n_epochs=1)
drift = max(abs(a - b) for a, b in zip(cpu_losses, device_losses, strict=True))
print(f"one epoch, CPU against {names[device]}: largest gap of the loss {drift:.1e}")

# %% [markdown]
# So devices agree to a tolerance and not to the bit. Random numbers really differ, which is why
# `make_model` draws them on the CPU and moves them. Two switches matter on NVIDIA GPUs:
# `torch.set_float32_matmul_precision("high")` lets float32 products round their inputs to fewer bits
# (TF32), which is faster with larger errors, and `torch.use_deterministic_algorithms(True)` makes every
# run give the same bits or raises an error. Neither is on by default, but convolutions (9.1) may use TF32
# without being asked.

# %%
assert weights[:3] == [1, 1, 1] and weights[3] < 1, "a step whose gradient overflows is skipped"
assert scales[:3] == [2.0**17, 2.0**16, 2.0**15], "after an overflow the scale is halved"
assert max(errors.values()) < 1e-4, "products agree to a tolerance"
assert not torch.equal(variants["CPU"], variants["CPU, other order"]), "another order gives other last digits"
assert drift < 1e-3, "devices stay close for an epoch of training"

# %% [markdown]
# ## What to remember
#
# - Model, inputs and labels must live on the same device. Write `device` once, and `.to(device)` where
#   data enters.
# - Wait before you read a clock. `.item()` waits, too, so collect losses as tensors.
# - An order and a copy have a fixed price: give the GPU much work at a time, and leave the data there.
# - Left of the ridge the memory sets the speed, so fewer bytes help; right of it the multipliers do.
# - Mixed precision: autocast for the forward pass, weights in float32, and with float16 a `GradScaler`,
#   which scales the loss.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let the numbers have two bytes: set the default `bytes_each=2` in `layer_work`. Where do the points
#    of the second figure move, and which of them would now lie right of the ridge?
# 2. Set the scale of `gradients["float16, scaled"]` to `2.0**43`, after computing what the scaled
#    gradient will be. What will the last line of that cell say?
# 3. From a blank cell: predict by formula, then measure with `saved_bytes`, what a network from 196 over
#    64 and 32 to 10, with a ReLU after each hidden layer, keeps for a batch of 100.
#
# ## Sources
#
# - S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
#   multicore architectures", _CACM_ 52, 2009. Reproduced: "a larger batch does more operations per byte".
# - P. Micikevicius et al., "Mixed precision training", ICLR 2018, section 3: float32 weights, and a
#   scaled loss. Reproduced: "it survives if the loss is scaled".
# - D. Kalamkar et al., _A study of BFLOAT16 for deep learning training_, 2019. Reproduced: "the losses in
#   mixed precision stay close".
# - PyTorch documentation, _CUDA semantics_, _Automatic mixed precision_ and _Reproducibility_.
