# %% [markdown]
# # 7.8 Data parallelism: one training run on many machines
#
# One cook peels a hundred potatoes in an hour. Four cooks need a quarter of it, if somebody hands out
# equal sacks and they agree at the end on what was peeled. Training shares its work the same way: each
# machine takes a part of the batch, and once a step they agree on the gradient. This last lesson of the
# chapter is optional.
#
# **You will build** the argument why this is exact, the ring that sums gradients, a cost model, and a
# short worker that survives a crash. **You need** mini-batches (7.1), optimizers (7.2) and `DataLoader`
# (4.4). **It takes** about half a minute, most of it starting Python again and again.

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Four examples have the gradients $1, 2, 3, 6$; their mean is $3$. Two workers with two examples each
# report $1.5$ and $4.5$, and the mean of the reports is $3$ again. But if one has three examples and the
# other one, they report $2$ and $6$, and the mean of the reports is $4$: a lone example counted as much
# as three. Weighted by their share, $\frac34 \cdot 2 + \frac14 \cdot 6 = 3$, they agree.

# %%
g = np.array([1.0, 2.0, 3.0, 6.0])
equal = (g[:2].mean() + g[2:].mean()) / 2
unequal = (g[:3].mean() + g[3:].mean()) / 2
weighted = 3 / 4 * g[:3].mean() + 1 / 4 * g[3:].mean()
print(f"whole batch {g.mean()}, equal shares {equal}, unequal shares {unequal}, weighted {weighted}")
assert equal == weighted == g.mean() == 3 and unequal == 4

# %% [markdown]
# ## When it is exact
#
# The loss is a mean over examples and the gradient is linear, so what holds for four numbers holds for a
# network: the mean of equal shares' gradients is the gradient of the whole batch. We check it in one
# process. Where examples influence each other the argument ends: batch norm (lesson 8.3) subtracts the
# mean of the examples it sees, and a share has another mean than the batch.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
x_all, y_all = torch.from_numpy(images[:320]), torch.from_numpy(labels[:320])  # float64, to compare exactly


def new_model(norm=False):
    torch.manual_seed(0)
    layers = [nn.Linear(64, 16), nn.BatchNorm1d(16) if norm else nn.Identity(), nn.Tanh(), nn.Linear(16, 10)]
    return nn.Sequential(*layers).double()


def gradient(model, rows):
    """The gradient of the mean loss on these rows, all parameters in one vector (P,)."""
    loss = F.cross_entropy(model(x_all[rows]), y_all[rows])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def averaged_gradient(model, shares, weights=None):
    """Mean of the gradients of all shares (lists of rows), or their sum with the given weights: (P,)."""
    weights = weights or [1 / len(shares)] * len(shares)
    return sum(weight * gradient(model, rows) for weight, rows in zip(weights, shares, strict=True))


# %%
batch = torch.arange(32)
fair, unfair = [batch[:16], batch[16:]], [batch[:24], batch[24:]]
cases = {
    "equal shares": (False, fair, None),
    "unequal shares": (False, unfair, None),
    "unequal, weighted": (False, unfair, [24 / 32, 8 / 32]),
    "equal, batch norm": (True, fair, None),
}
differences = {}
for name, (norm, shares, weights) in cases.items():
    model = new_model(norm)
    whole = gradient(model, batch)
    differences[name] = ((averaged_gradient(model, shares, weights) - whole).norm() / whole.norm()).item()
    print(f"{name:20s}relative difference {differences[name]:.1e}")
assert differences["equal shares"] < 1e-12 and differences["unequal, weighted"] < 1e-12
assert differences["unequal shares"] > 0.01 and differences["equal, batch norm"] > 0.01

# %% [markdown]
# ## Summing in a ring
#
# How do $p$ workers get the sum of all their gradients? If all send everything to one, that one drowns.
# In a *ring all-reduce* each cuts its vector into $p$ pieces and talks only to its neighbour. Pieces
# travel around the ring and grow; after $p - 1$ rounds each worker holds one finished piece. In $p - 1$
# more rounds the finished pieces go around. Each worker sends
#
# $$2\,\frac{p - 1}{p} \cdot \text{size of the vector},$$
#
# hardly more for a thousand workers than for ten.


# %%
def ring_all_reduce(vectors):
    """Replace each of p vectors (n,) by the sum of all, in place; returns the numbers each worker sent."""
    p = len(vectors)
    pieces = [np.array_split(vector, p) for vector in vectors]  # views: pieces[worker][piece]
    sent = np.zeros(p, dtype=int)
    for turn in range(2 * (p - 1)):
        finished = turn >= p - 1  # first half: add what arrives; second half: copy it
        moving = [(worker, (worker - turn) % p) for worker in range(p)]
        letters = [pieces[worker][piece].copy() for worker, piece in moving]
        for (worker, piece), letter in zip(moving, letters):
            target = pieces[(worker + 1) % p][piece]
            target[:] = letter if finished else target + letter
            sent[worker] += len(letter)
    return sent


for p in (1, 2, 5, 8):
    vectors = [rng.normal(size=1000) for _ in range(p)]
    total = np.sum(vectors, axis=0)
    sent = ring_all_reduce(vectors)
    print(f"{p} workers   each sent at most {sent.max()} numbers, rule {2 * (p - 1) / p * 1000:.0f}")
    for vector in vectors:
        np.testing.assert_allclose(vector, total, rtol=1e-10, atol=1e-12)
    assert sent.max() <= 2 * (p - 1) * np.ceil(1000 / p)

# %% [markdown]
# ## Does it pay?
#
# A step costs arithmetic, which is shared, and communication, which is not. With $n$ weights, $B$
# examples, a worker of $f$ operations a second and links of $b$ bytes a second with a delay $\ell$ a
# message,
#
# $$t(p) = \frac{6 n B}{p f} + 2 (p - 1) \left(\ell + \frac{4 n}{p\, b}\right):$$
#
# six operations a weight and example, for the forward pass and twice that backward; four bytes a number.


# %%
def step_seconds(p, n_weights, batch_size, flops=1e13, bandwidth=1e10, delay=2e-5):
    """Time of one step on p workers: shared arithmetic, then a ring all-reduce of float32 gradients."""
    arithmetic = 6 * n_weights * batch_size / (p * flops)
    return arithmetic + 2 * (p - 1) * (delay + 4 * n_weights / (p * bandwidth))


ps = 2 ** np.arange(9)  # 1 to 256 workers
print(f"{'speed-up of':20s}" + "".join(f"{p:8d}" for p in ps) + "  workers")
speedups = {}
for batch_size, grows in ((256, False), (8192, False), (8192, True)):
    name = f"{batch_size} a worker" if grows else f"{batch_size} in all"
    examples = np.array([batch_size * (p if grows else 1) for p in ps])
    times = np.array([step_seconds(p, 1e8, b) for p, b in zip(ps, examples)])
    speedups[name] = (examples / times) / (examples[0] / times[0])  # examples a second, against one worker
    print(f"{name:20s}" + "".join(f"{speedup:8.1f}" for speedup in speedups[name]))
assert speedups["256 in all"].max() == 1 and 4 < speedups["8192 in all"].max() < 8
assert np.all(speedups["8192 a worker"] > 0.8 * ps)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(ps, ps, color="0.7", linewidth=0.8, zorder=0, label="p workers, p times as fast")
for (name, speedup), style in zip(speedups.items(), ("o-", "s--", "^-.")):
    ax.loglog(ps, speedup, style, label=f"batch of {name}")
ax.set(
    xlabel="workers", ylabel="examples a second, one worker = 1", title="Only large shares are worth sharing"
)
ax.legend()
plt.show()

# %% [markdown]
# The gradient has a number for every weight, whatever the batch, and each worker sends nearly twice that
# at every step. A small batch is done long before its gradients have arrived. That is why large machines
# go with large batches, and lesson 7.1 said where those stop paying.
#
# ## The worker
#
# Now for real. Every process runs the same script and learns from its environment which *rank* it has and
# how large the *world* is. All draw the same order of rows, and each takes its share of each batch. The
# script saves a checkpoint every few steps, and can be told to crash, once. This text is what you would
# copy to a cluster. A library carries the messages: gloo, or NCCL where every process has a GPU of its own.
# The script picks by itself.

# %%
WORKER = """
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
local_rank, local_world = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
cuda = torch.cuda.device_count() >= local_world  # a GPU for each process on this machine, or none
device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
if cuda:
    torch.cuda.set_device(device)
dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(seconds=60))
rank, world = dist.get_rank(), dist.get_world_size()
folder, crash_at = Path(sys.argv[1]), int(sys.argv[2])
first_attempt = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"

task = torch.load(folder / "task.pt", map_location=device, weights_only=True)
x, y, batch_size = task["x"], task["y"], task["batch_size"]
model = nn.Sequential(nn.Linear(64, 16), nn.Identity(), nn.Tanh(), nn.Linear(16, 10)).double().to(device)
model.load_state_dict(task["model"])
optimizer = torch.optim.SGD(model.parameters(), lr=task["learning_rate"], momentum=0.9)
start, checkpoint, trace = 0, folder / "checkpoint.pt", {}
if checkpoint.exists():  # an earlier attempt died: go on where it last saved
    saved = torch.load(checkpoint, map_location=device, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    start = saved["step"]

for step in range(start, task["n_steps"]):
    epoch, batch = divmod(step, len(x) // batch_size)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
    rows = order[batch * batch_size : (batch + 1) * batch_size][rank::world]  # my share
    loss = F.cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    for w in model.parameters():
        dist.all_reduce(w.grad)  # the sum over all ranks, on every rank
        w.grad /= world
    if step == crash_at and first_attempt and rank == world - 1:
        sys.exit(f"rank {rank} crashes at step {step}")
    optimizer.step()
    trace[step] = nn.utils.parameters_to_vector(model.parameters()).detach().cpu()
    if rank == 0 and (step + 1) % 5 == 0:
        state = {"step": step + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, folder / "unfinished.pt")
        os.replace(folder / "unfinished.pt", checkpoint)  # whole or not at all

torch.save(trace, folder / f"rank{rank}.pt")
dist.destroy_process_group()
"""
body = [line for line in WORKER.splitlines() if line and not line.startswith(("import", "from"))]
print(f"{len(body)} lines without the imports")

# %% [markdown]
# The launcher `torch.distributed.run` starts the processes on this machine (`--standalone`), sets their
# environment, watches them, and with `--max-restarts` starts all of them again if one dies. On several
# machines the same command runs on each, with `--nnodes` and the address of one of them. Two settings
# keep the talk on this machine. A third gives every attempt a meeting place of its own: without it,
# restarted workers sometimes read the addresses of dead ones. On Windows the processes meet in a file,
# because PyTorch for Windows lacks a library (libuv) that `--standalone` needs.


# %%
def launch(script, folder, n_processes, *args, max_restarts=0, timeout=300):
    """Run the text `script` in n_processes, in `folder`; returns what they printed.

    Raises RuntimeError with the launcher's report if a process dies and no restart is left.
    """
    worker = Path(folder) / "worker.py"
    worker.write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--local-addr=localhost"]
    if sys.platform == "win32":  # pytorch issue 148283
        meeting = Path(folder) / "meeting"
        command += ["--rdzv-backend=c10d", f"--rdzv-endpoint={meeting}", "--rdzv-conf=store_type=file"]
    else:
        command += ["--standalone"]
    command += [f"--nproc-per-node={n_processes}", f"--max-restarts={max_restarts}"]
    command += [str(worker), str(folder), *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    if sys.platform != "win32":
        environment["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # pytorch issue 135712
    environment["PYTHONUTF8"] = "1"  # what they print is read as UTF-8 below, on any system
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        timeout=timeout,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(f"{n_processes} processes ended with code {done.returncode}\n{done.stderr}")
    return done.stdout + done.stderr


# %% [markdown]
# ## One process, for comparison
#
# The same training on the whole batch, without any of this. It keeps the weights after every step.

# %%
task = {"x": x_all.clone(), "y": y_all.clone()}  # a slice would be saved with all that it was cut from
task |= {"model": new_model().state_dict(), "batch_size": 32, "learning_rate": 0.1, "n_steps": 30}


def train_alone(task):
    """The weights after every step of training on whole batches in this process: (n_steps, P)."""
    model = new_model()
    model.load_state_dict(task["model"])
    optimizer = torch.optim.SGD(model.parameters(), lr=task["learning_rate"], momentum=0.9)
    trace = []
    for step in range(task["n_steps"]):
        epoch, batch = divmod(step, len(task["x"]) // task["batch_size"])
        order = torch.randperm(len(task["x"]), generator=torch.Generator().manual_seed(epoch))
        rows = order[batch * task["batch_size"] : (batch + 1) * task["batch_size"]]
        loss = F.cross_entropy(model(task["x"][rows]), task["y"][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trace.append(nn.utils.parameters_to_vector(model.parameters()).detach())
    return torch.stack(trace)


alone = train_alone(task)

# %% [markdown]
# ## Two processes, one crash
#
# Both workers start, the second dies on the way, the launcher starts both again, they read the last
# checkpoint and finish. Every step since must agree with the single process, and the two ranks with each
# other to the last bit.

# %%
crash_at = 12
with tempfile.TemporaryDirectory() as folder:
    torch.save(task, Path(folder) / "task.pt")
    printed = launch(WORKER, folder, 2, crash_at, max_restarts=1)
    traces = [torch.load(Path(folder) / f"rank{rank}.pt", weights_only=True) for rank in range(2)]

first = min(traces[0])
print(next(line for line in printed.splitlines() if "crashes" in line))
print(f"after the restart: steps {first} to {max(traces[0])}")
gaps = {step: (w - alone[step]).abs().max().item() for step, w in traces[0].items()}
print(f"largest difference from one process {max(gaps.values()):.1e}")
assert first == 10 and max(gaps.values()) < 1e-10
assert all(torch.equal(traces[0][step], traces[1][step]) for step in traces[0])
assert not torch.equal(alone[first], alone[-1])

# %% [markdown]
# ## The same in PyTorch
#
# `DistributedDataParallel` (DDP) wraps a model so that `backward()` averages the gradients by itself, in
# buckets, while the rest of the backward pass still runs. `DistributedSampler` hands each rank its share
# of a shuffled epoch, the same share as ours; forget `set_epoch`, and every epoch has the same order. The
# loop is that of one machine again.

# %%
head, loop = WORKER.split("for step in range", 1)
DDP_WORKER = (
    head
    + """
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

parallel = DistributedDataParallel(model, device_ids=[local_rank] if cuda else None)
data = TensorDataset(x, y)
sampler = DistributedSampler(data, shuffle=True, seed=0)
loader = DataLoader(data, batch_size=batch_size // world, sampler=sampler)
for epoch in range(task["n_steps"] // (len(x) // batch_size)):
    sampler.set_epoch(epoch)
    for inputs, targets in loader:
        loss = F.cross_entropy(parallel(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trace[len(trace)] = nn.utils.parameters_to_vector(model.parameters()).detach().cpu()

torch.save(trace, folder / f"rank{rank}.pt")
dist.destroy_process_group()
"""
)
with tempfile.TemporaryDirectory() as folder:
    torch.save(task, Path(folder) / "task.pt")
    launch(DDP_WORKER, folder, 2, -1)
    ddp_traces = [torch.load(Path(folder) / f"rank{rank}.pt", weights_only=True) for rank in range(2)]

ddp_gaps = {step: (w - alone[step]).abs().max().item() for step, w in ddp_traces[0].items()}
print(f"{len(ddp_gaps)} steps, largest difference from one process {max(ddp_gaps.values()):.1e}")
assert len(ddp_gaps) == task["n_steps"] and max(ddp_gaps.values()) < 1e-10
assert all(torch.equal(ddp_traces[0][step], ddp_traces[1][step]) for step in ddp_traces[0])

# %% [markdown]
# The curve of one process, of two that crashed, and of DDP: the loss on all rows, computed from the
# weights they left. The part before the crash is lost with its processes; the checkpoint carried it over.


# %%
def loss_of(vector):
    """Loss on all rows of a model with these parameters (P,)."""
    model = new_model()
    nn.utils.vector_to_parameters(vector, model.parameters())
    with torch.no_grad():
        return F.cross_entropy(model(x_all), y_all).item()


fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot([loss_of(w) for w in alone], color="0.7", linewidth=5, label="one process")
ax.plot(list(traces[0]), [loss_of(w) for w in traces[0].values()], "o-", label="two, after the crash")
ax.plot(list(ddp_traces[0]), [loss_of(w) for w in ddp_traces[0].values()], "--", label="DDP")
ax.axvline(crash_at, color="0.4", linewidth=0.8, linestyle=":")
ax.annotate(" crash", (crash_at, 2.2), color="0.3")
ax.set(xlabel="step", ylabel="loss (nats)", title="Three ways, one path")
ax.legend(loc="lower left")
plt.show()

# %% [markdown]
# ## What to remember
#
# - The mean of equal shares' gradients is the batch's gradient: data parallel training changes nothing
#   but the time. Unequal shares need weights, batch norm needs statistics of the whole batch.
# - A ring all-reduce sends about twice the gradient per worker and step, for any number of workers.
# - It pays where the arithmetic of a share outlasts the sending: large batches, fast links.
# - Machines die. A checkpoint has the step, the model *and* the optimizer, and appears whole or not at
#   all.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Leave the optimizer's state out of the checkpoint. From which step on do the paths differ?
# 2. Let every rank draw its order with its own seed. Do the ranks stay identical? Is it still the same
#    training?
# 3. In the cost model, which bandwidth makes 64 workers worth while for a batch of 256?
#
# ## Sources
#
# - P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms", 2009: the ring.
# - P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 3.
# - S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel training", VLDB 2020.
# - E. Alpaydin, C. Kaynak, *Optical recognition of handwritten digits*, UCI, 1998: the data, CC BY 4.0.
