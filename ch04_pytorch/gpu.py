# %% [markdown]
# # 4.5 The GPU: a fast factory at the end of a road
#
# A factory with thousands of hands lies an hour's drive away. For one shirt, sew it at home; for ten
# thousand, drive. A GPU is that factory: the drive is the copy over the *bus*, the line between the two,
# and the call that starts the work. Whether it pays depends on how much work there is for each thing
# carried, and that can be computed before buying anything.
#
# **You will build** an honest stopwatch, a counter of the memory that training holds, and the *roofline*,
# which says how fast a layer can be at best; you train in mixed precision. **You need** tensors (4.1),
# modules (4.3) and the training cycle (4.4). Without an accelerator every cell runs on the CPU, and says
# what would differ.

# %%
import importlib.util
import shutil
import statistics
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
cpu = torch.device("cpu")
device = torch.accelerator.current_accelerator(check_available=True) or cpu
on_gpu = device.type != "cpu"
names = {cpu: "CPU"}
if on_gpu:
    names[device] = torch.cuda.get_device_name() if device.type == "cuda" else device.type
print("machines here:", ", ".join(names.values()) if on_gpu else "the CPU alone; its side is shown")

# %% [markdown]
# ## On paper first
#
# A processor has two speeds: $P$ operations a second, and $B$ bytes a second to and from memory. Work
# with $I$ operations for each byte, its *arithmetic intensity*, can reach no more than
#
# $$\min(P,\; B \cdot I) .$$
#
# The two are equal at $I = P / B$, the *ridge*. Adding two vectors of $n$ float32 numbers: $n$
# operations, $3 \cdot 4n$ bytes, $I = 1/12$. Multiplying two $n \times n$ matrices: $2n^3$ operations on
# $3 \cdot 4n^2$ bytes, $I = n/6$. With $P = 1000$ and $B = 100$ (in units of $10^9$), the addition
# reaches 8.3, the product of $60 \times 60$ matrices 1000.


# %%
def attainable(intensity, peak, bandwidth):
    """The roofline: operations a second at best. intensity: operations a byte; Williams et al. 2009."""
    return np.minimum(peak, bandwidth * intensity)


print(f"addition {attainable(1 / 12, 1000, 100):.1f}   product, n = 60: {attainable(60 / 6, 1000, 100):.0f}")
assert attainable(60 / 6, 1000, 100) == 1000 and round(float(attainable(1 / 12, 1000, 100)), 1) == 8.3

# %% [markdown]
# ## Where a tensor lives
#
# `.to(device)` returns a copy on the device, or the tensor itself if it is there already. A module's
# `.to` moves what is in the box. Operands must live in the same place. To see the error on any machine we
# use the device `meta`, where tensors have a shape and no numbers: a free way to try out a model that
# would not fit.

# %%
torch.manual_seed(0)
x = torch.ones(2, 3)
there = x.to(device)
assert (there is x) == (not on_gpu) and there.device.type == device.type

layer = nn.Linear(3, 2)
weight = layer.weight
assert layer.to(device) is layer and layer.weight is weight and weight.device.type == device.type

try:
    x + torch.ones(2, 3, device="meta")
    refusal = "none"
except RuntimeError as error:
    refusal = str(error)
print("two places:", refusal)
assert "device" in refusal

huge = nn.Linear(200_000, 200_000, device="meta")
print(
    f"a layer of {huge.weight.numel() * 4 / 1e9:.0f} GB:",
    tuple(huge(torch.empty(8, 200_000, device="meta")).shape),
)
assert huge(torch.empty(8, 200_000, device="meta")).shape == (8, 200_000)

# %% [markdown]
# ## A stopwatch that lies
#
# A GPU works *asynchronously*: a call only puts an order in a queue and returns, while the factory works
# through the queue. A stopwatch around the call measures the writing of the order. A toy with a queue
# shows it on any machine. (Ours begins when somebody waits; a real one works in the meantime.)


# %%
class ToyDevice:
    """Takes orders at once and carries them out, in order, when somebody waits."""

    def __init__(self):
        self.queue, self.results = [], []

    def launch(self, function, *args):
        """Put function(*args) in the queue; returns at once."""
        self.queue.append((function, args))

    def synchronize(self):
        """Wait until every order is carried out."""
        while self.queue:
            function, args = self.queue.pop(0)
            self.results.append(function(*args))


toy, matrix = ToyDevice(), torch.randn(600, 600)
started = time.perf_counter()
for _ in range(5):
    toy.launch(torch.matmul, matrix, matrix)  # (600, 600) @ (600, 600) -> (600, 600)
wrong_time = time.perf_counter() - started
print(f"the naive stopwatch: {1e6 * wrong_time:8.0f} microseconds, {len(toy.results)} products exist")
assert len(toy.queue) == 5 and not toy.results

toy.synchronize()
right_time = time.perf_counter() - started
print(f"after waiting:       {1e6 * right_time:8.0f} microseconds, {len(toy.results)} products exist")
product = matrix @ matrix  # (600, 600) @ (600, 600) -> (600, 600)
assert not toy.queue and torch.equal(toy.results[-1], product)

# %% [markdown]
# The honest one: call once to warm up (the first call allocates, loads and chooses), wait before starting
# and before stopping, repeat, take the median. `.item()` and `print` wait too, which is why a loss
# printed at every step slows a GPU down. On the CPU nothing is asynchronous, and both stopwatches agree.


# %%
def synchronize(device):
    """Wait until `device` has done everything it was asked to."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds(function, device, rounds=5):
    """Median time of function() on `device`, warm, each call waited for."""
    function()
    times = []
    for _ in range(rounds):
        synchronize(device)
        started = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def naive_seconds(function):
    """The time until function() returns, which on a GPU is before its work is done."""
    function()
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


n = 4096 if on_gpu else 512
matrix = torch.randn(n, n).to(device)
synchronize(device)
wrong_time = naive_seconds(lambda: matrix @ matrix)  # (n, n) @ (n, n) -> (n, n)
right_time = seconds(lambda: matrix @ matrix, device)  # (n, n) @ (n, n) -> (n, n)
print(f"product of {n} × {n} on the {names[device]}:")
print(f"naive {1e3 * wrong_time:.3f} ms, honest {1e3 * right_time:.3f} ms")
if on_gpu:
    assert wrong_time < right_time
else:
    print("on a GPU the naive time would be that of placing the order, whatever n is")

# %% [markdown]
# ## The price of the road
#
# A copy to the device has a fixed price and a price by the byte. From *pinned* memory, which the
# operating system may not move, the bus can fetch by itself, faster and in the background
# (`non_blocking=True`). Here a copy within memory stands in where there is no device.

# %%
transfers = {}
print(f"{'copied':20s}{'microseconds':>16s}{'GB/s':>12s}")
for n_bytes in (4_000, 400_000, 40_000_000):
    source, target = torch.randn(n_bytes // 4), torch.empty(n_bytes // 4, device=device)
    transfers[n_bytes] = seconds(lambda source=source, target=target: target.copy_(source), device)
    print(f"{n_bytes:<20,d}{1e6 * transfers[n_bytes]:16.1f}{n_bytes / transfers[n_bytes] / 1e9:12.2f}")
    assert torch.equal(target.cpu(), source)
if device.type == "cuda":
    pinned = source.pin_memory()
    took = seconds(lambda: target.copy_(pinned, non_blocking=True), device)
    print(f"{'the last, pinned':20s}{1e6 * took:16.1f}{n_bytes / took / 1e9:12.2f}")

# %% [markdown]
# ## When does it pay?
#
# Products of growing matrices, at home and away: with the operands already there, and with the copies
# there and back. Where there is no GPU, one with round, assumed numbers stands in: ten microseconds to
# place an order, a bus of $2 \cdot 10^{10}$ bytes and a factory of $2 \cdot 10^{13}$ operations a second.


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


# %% [markdown]
# Now the sweep. A GPU that is there is measured; its products are compared with the CPU's.

# %%
sizes = [16, 32, 64, 128, 256, 512, 1024] + ([2048] if on_gpu else [])
times = {"CPU": [], "away": [], "away, with copies": []}
for n in sizes:
    a, b = torch.randn(n, n), torch.randn(n, n)
    a_there, b_there = a.to(device), b.to(device)
    times["CPU"].append(seconds(lambda a=a, b=b: a @ b, cpu, rounds=3))  # (n, n) @ (n, n) -> (n, n)
    if on_gpu:
        times["away"].append(seconds(lambda a=a_there, b=b_there: a @ b, device))  # (n, n) @ (n, n) -> (n, n)
        there_and_back = lambda a=a, b=b: (a.to(device) @ b.to(device)).cpu()
        times["away, with copies"].append(seconds(there_and_back, device))
        torch.testing.assert_close((a_there @ b_there).cpu(), a @ b, rtol=1e-3, atol=1e-3)  # (n, n) @ (n, n)
    else:
        times["away"].append(assumed_gpu(n, with_copies=False))
        times["away, with copies"].append(assumed_gpu(n, with_copies=True))
for name in ("away", "away, with copies"):
    found = crossover(sizes, times["CPU"], times[name])
    print(f"{name:20s}pays from n = {found}" if found else f"{name:20s}never pays at these sizes")
per_operation = [assumed_gpu(n, with_copies=True) / (2 * n**3) for n in sizes]
ratio = per_operation[0] / per_operation[-1]
print(f"assumed GPU, copies included: an operation costs {ratio:,.0f} times more at n = {sizes[0]}")
assert ratio > 1000

# %%
away = names[device] if on_gpu else "GPU (assumed numbers)"
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(sizes, times["CPU"], "o-", color="C0", label="CPU, measured")
ax.loglog(sizes, times["away"], "s--", color="C1", label=away)
ax.loglog(sizes, times["away, with copies"], "^-.", color="C2", label=f"{away}, with copies")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.set(
    xlabel="n, for a product of n × n matrices",
    ylabel="seconds",
    title="The trip has a fixed price, so size decides",
)
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## The roofline of this machine
#
# A linear layer on a batch of $N$ does $2 N n_\text{in} n_\text{out}$ operations, and must at least read
# the inputs and the weights and write the outputs:
#
# $$I = \frac{2 N n_\text{in} n_\text{out}}
#   {4\,(N n_\text{in} + n_\text{in} n_\text{out} + N n_\text{out})} .$$
#
# With a single example every weight is fetched for one multiplication and one addition. With a batch,
# each weight serves the whole batch.


# %%
def layer_work(batch_size, n_in, n_out, bytes_each=4):
    """Operations and least bytes of memory traffic of a linear layer without bias."""
    operations = 2 * batch_size * n_in * n_out
    numbers = batch_size * n_in + n_in * n_out + batch_size * n_out
    return operations, bytes_each * numbers


def speeds(device, n, n_bytes):
    """Measured operations a second of an n × n product, and bytes a second of a copy of n_bytes."""
    matrix = torch.rand(n, n, device=device)
    source = torch.rand(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    product = seconds(lambda: matrix @ matrix, device)  # (n, n) @ (n, n) -> (n, n)
    copy = seconds(lambda: target.copy_(source), device)
    return 2 * n**3 / product, 2 * n_bytes / copy  # a copy reads and writes


batch_sizes = (1, 4, 16, 64, 256)
roofs, points = {}, {}
for place, name in names.items():
    roofs[name] = speeds(place, n=1024 if place is cpu else 8192, n_bytes=2**27 if place is cpu else 2**30)
    width = 4096 if place is cpu else 8192  # large enough not to fit into a cache
    weight = torch.rand(width, width, device=place)
    for batch_size in batch_sizes:
        x = torch.rand(batch_size, width, device=place)
        operations, traffic = layer_work(batch_size, width, width)
        took = seconds(lambda x=x, weight=weight: x @ weight.T, place, rounds=3)  # (N, D) @ (D, D) -> (N, D)
        points[name, batch_size] = operations / traffic, operations / took
    peak, bandwidth = roofs[name]
    print(f"{name}: product {peak / 1e9:,.0f} GFLOP/s, copy {bandwidth / 1e9:,.0f} GB/s", end=", ")
    print(f"ridge at {peak / bandwidth:.1f} operations a byte")
intensities = [points["CPU", batch_size][0] for batch_size in batch_sizes]
print("operations a byte:", [round(intensity, 1) for intensity in intensities])
assert intensities == sorted(intensities) and abs(intensities[0] - 0.5) < 0.01

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
axis = np.geomspace(0.1, 1000, 200)  # (200,)
for i, (name, (peak, bandwidth)) in enumerate(roofs.items()):
    ax.loglog(
        axis,
        attainable(axis, peak, bandwidth) / 1e9,
        "-" if i == 0 else "--",
        color=f"C{i}",
        label=f"roof of the {name}",
    )
    for batch_size in batch_sizes:
        intensity, rate = points[name, batch_size]
        label = "a layer, by batch size" if i == 0 and batch_size == 1 else None
        ax.loglog(intensity, rate / 1e9, "os"[i], color="0.2", fillstyle="none", label=label)
        ax.annotate(
            f"{batch_size}", (intensity, rate / 1e9), xytext=(6, -12), textcoords="offset points", fontsize=9
        )
ax.set(xlabel="arithmetic intensity (operations a byte)", ylabel="GFLOP/s")
ax.set(title="A larger batch has more work for each byte")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# The numbers beside the points are batch sizes. Left of the ridge, memory sets the speed, and computing
# is free; right of it, the multipliers do. A point above the roof found its data in a cache; a point far
# below it paid for something else, on a GPU often for placing the order.
#
# ## What fills the memory
#
# Weights, their gradients, and the optimizer's own tensors (*Adam*, lesson 7.2, keeps two averages for
# each weight) do not depend on the batch. But backward needs what forward computed, and that grows with
# the batch. `saved_tensors_hooks` shows us every tensor that autograd keeps.


# %%
def saved_bytes(model, x):
    """Bytes that autograd keeps for the backward pass of model(x), the model's own tensors not counted."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = model(x)
    assert out.requires_grad  # and keeps what was saved alive until here
    return sum(kept.values())


def make_model():
    """A network for pictures of 14 × 14 pixels, the same every time, on the CPU."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10))


model = make_model().to(device)
fixed = sum(4 * parameter.numel() for parameter in model.parameters())
held = {size: saved_bytes(model, torch.randn(size, 196).to(device)) for size in (1, 64, 256, 1024)}
print(f"weights {fixed:,} bytes, their gradients as many, Adam's two averages twice as many")
for size, n_bytes in held.items():
    print(f"batch {size:5d}   kept for backward {n_bytes:10,d} bytes")
    assert n_bytes == 4 * size * (196 + 64)  # the input and the hidden layer
assert held[1024] > 4 * fixed
if device.type == "cuda":
    before = torch.cuda.memory_allocated()
    x = torch.randn(1024, 196).to(device)
    out = model(x)
    grown = torch.cuda.memory_allocated() - before
    print(f"the allocator agrees to its rounding: {grown:,} bytes, scores included")

# %% [markdown]
# ## Half the bits: mixed precision
#
# Numbers of 16 bits halve the traffic, and GPUs multiply them many times faster. There are two kinds.
# *float16* has a fine grain and a short range; *bfloat16* has the range of float32 and a coarse grain.
# Small gradients vanish in float16, so they are multiplied by a large *scale* before backward and divided
# by it after (`torch.amp.GradScaler`).

# %%
tiny, grain = torch.tensor(1e-8, dtype=torch.float32), torch.tensor(1.001, dtype=torch.float32)
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    row = f"1e-8 becomes {tiny.to(dtype).item():.2g}   1.001 becomes {grain.to(dtype).item():.6g}"
    print(f"{str(dtype).removeprefix('torch.'):12s}{row}   largest {torch.finfo(dtype).max:.3g}")
scale = 2.0**16
rescued = (tiny * scale).half().float() / scale
print(f"float16 with scaling: {rescued.item():.3g}")
assert tiny.half() == 0 and tiny.bfloat16() != 0 and grain.bfloat16() == 1
assert abs(rescued / tiny - 1) < 1e-3

# %% [markdown]
# *Autocast* chooses by operation: products run in 16 bits, sums and losses in 32, and the weights
# themselves stay float32, so that small updates are not rounded away. With bfloat16 no scaling is needed.
# Backward runs outside of it and follows the types that forward used.


# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
pictures = train_images[:, ::2, ::2].flatten(1)  # (5000, 14, 14) -> (5000, 196)


def train_losses(device, n_steps, mixed=False, batch_size=64):
    """The loss at each step of SGD on `device`, always the same start and batches; mixed: with autocast."""
    model = make_model().to(device)  # random numbers are drawn on the CPU, so every device starts alike
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(n_steps):
        chosen = torch.randint(len(pictures), (batch_size,), generator=generator)
        x, y = pictures[chosen].to(device), train_labels[chosen].to(device)  # (B, 196) and (B,)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
            scores = model(x)
            assert scores.dtype == (torch.bfloat16 if mixed else torch.float32)
            loss = F.cross_entropy(scores.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert model[0].weight.dtype == torch.float32
    return torch.stack(losses).tolist()  # one wait at the end, not one a step


n_steps = 200
full, mixed = train_losses(device, n_steps), train_losses(device, n_steps, mixed=True)
gap = max(abs(a - b) for a, b in zip(full, mixed, strict=True))
print(f"last 20 losses: float32 {np.mean(full[-20:]):.4f}, mixed {np.mean(mixed[-20:]):.4f}")
print(f"largest gap at any step: {gap:.4f}")
assert 0 < gap < 0.1 and np.mean(full[-20:]) < 0.5 * full[0]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(list(held), [4 * fixed / 1e6] * len(held), "o-", color="C0", label="weights, gradients, Adam")
left.plot(
    list(held), [n_bytes / 1e6 for n_bytes in held.values()], "s--", color="C1", label="kept for backward"
)
left.set(xlabel="batch size", ylabel="memory (MB)", title="Here the batch fills the memory, not the weights")
left.legend()
right.plot(full, "-", color="C0", label="float32")
right.plot(mixed, "--", color="C1", label="mixed, bfloat16")
right.set(xlabel="step", ylabel="loss (nats)", title="Half the bits, nearly the same curve", ylim=0)
right.legend()
plt.show()

# %% [markdown]
# ## Fewer trips to memory: compile
#
# A chain of elementwise operations, run *eagerly*, one after the other, is bound by memory: each reads
# its input and writes its output. `torch.compile` writes one program for the device, a *kernel*, for the
# whole chain, which reads once and writes once. Its first call takes long, and needs a compiler and the
# package Triton, so the course uses it on CUDA only.


# %%
def chain(x):
    """Four elementwise operations."""
    return torch.tanh(x * 2 + 1).relu()


n = 2**22
fused_bytes = 2 * 4 * n  # n float32 numbers, read and written once
eager_bytes = 4 * fused_bytes  # by each of four operations
ratio = eager_bytes // fused_bytes
print(f"eager moves {eager_bytes / 1e6:.0f} MB, one kernel {fused_bytes / 1e6:.0f} MB: {ratio} times less")
x = torch.randn(n).to(device)
print(f"eager on the {names[device]}: {1e3 * seconds(lambda: chain(x), device):.3f} ms")
can_compile = (shutil.which("cc") or shutil.which("gcc")) and importlib.util.find_spec("triton")
if device.type == "cuda" and can_compile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on settings that do not matter here
        compiled = torch.compile(chain)
        torch.testing.assert_close(compiled(x), chain(x))
    print(f"compiled: {1e3 * seconds(lambda: compiled(x), device):.3f} ms")
else:
    print("on a CUDA GPU the compiled chain would stand beside it")

# %% [markdown]
# ## The same result everywhere?
#
# Float32 sums depend on their order, and every device has its own order. So results agree to a tolerance,
# which grows with training, as small differences are fed back. A sum in another order on the same CPU
# shows the size of the effect; a GPU is no worse. Random numbers do differ: draw them on the CPU and move
# them, as `make_model` does.

# %%
a, b = torch.randn(256, 512), torch.randn(512, 128)
order = torch.randperm(512)
exact = a.double() @ b.double()  # (256, 512) @ (512, 128) -> (256, 128)
variants = {"CPU": a @ b, "CPU, other order": a[:, order] @ b[order]}  # (256, 512) @ (512, 128), twice
if on_gpu:
    variants[names[device]] = (a.to(device) @ b.to(device)).cpu()  # (256, 512) @ (512, 128) -> (256, 128)
for name, product in variants.items():
    error = ((product.double() - exact).abs().max() / exact.abs().max()).item()
    print(f"{name:24s}largest error, relative to the largest entry: {error:.1e}")
    assert error < 1e-4
assert not torch.equal(variants["CPU"], variants["CPU, other order"])

gap = max(abs(a - b) for a, b in zip(train_losses(cpu, 50), train_losses(device, 50), strict=True))
print(f"50 training steps, CPU against {names[device]}: largest gap {gap:.1e}")
assert gap < 1e-3

# %% [markdown]
# Two switches matter here. On recent NVIDIA GPUs `torch.set_float32_matmul_precision("high")` lets
# float32 matrix products round their inputs to fewer bits (TF32): faster, with larger errors. And
# `torch.use_deterministic_algorithms(True)` makes a GPU give the same bits in every run, or raises where
# it cannot. Neither is on by default, but convolutions (9.1) may use TF32 without being asked.
#
# ## What to remember
#
# - Model, inputs and targets must live on the same device. Write `device` once, and `.to(device)` where
#   data enters.
# - Wait before reading the clock. `.item()` waits too: collect losses as tensors.
# - The road has a fixed price. Carry much at once, keep data there, and give each byte much work: large
#   batches.
# - Left of the ridge memory sets the speed: fewer bytes (16 bits, one kernel) help. Right of it only more
#   multipliers do.
# - Devices agree to a tolerance, not to the bit.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Compute the intensity of the layer with `bytes_each=2`. From which batch size is it right of your
#    ridge?
# 2. Give `make_model` ten hidden layers. What does `saved_bytes` grow by, and which ReLU keeps what?
# 3. Train with `.half()` weights instead of autocast. Where does it go wrong first: the loss, or the
#    updates?
#
# ## Sources
#
# - S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
#   multicore architectures", *CACM* 52, 2009.
# - P. Micikevicius et al., "Mixed precision training", ICLR 2018, section 3: a float32 copy of the
#   weights, loss scaling.
# - D. Kalamkar et al., *A study of BFLOAT16 for deep learning training*, 2019.
# - PyTorch documentation, *CUDA semantics*, *Automatic mixed precision* and *Reproducibility*.
