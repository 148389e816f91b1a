# %% [markdown]
# # 7.8 Data parallelism: one training run on several machines
#
# Training a large network on one machine can take months. The simplest way to use many machines is to
# give each of them a part of every batch: every machine holds a copy of the network, computes the
# gradient on its own part, and before each step all of them compute the average together. This is called
# *data parallelism*. Large models are trained in this way, often combined with other ways of sharing the
# work. Does it change what the network learns, when does it save time, and what has to be changed in a
# training loop?
#
# **You will build** the argument why nothing but the time changes, an estimate of when it pays, and a
# training script that runs in two processes at once. Under "Going further" it grows into one with
# checkpoints that you can take to two machines, and survives a crash. **You need** mini-batches (7.1),
# optimizers (7.2), warm-up (7.3), checkpoints (4.4) and devices (4.5). **It takes** about half a minute,
# most of it for starting Python again and again. The lesson is optional, because nothing later needs it.

# %%
import math
import os
import socket
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
# Four examples have the gradients $1, 2, 3$ and $6$, and the gradient of the batch is their mean, $3$.
# If two workers share the batch, is the mean of their means the same number?
#
# $$\begin{aligned}
#   \text{two and two:} \quad & \tfrac12 \left( \tfrac{1 + 2}{2} + \tfrac{3 + 6}{2} \right)
#     = \tfrac12 (1.5 + 4.5) = 3 \\
#   \text{three and one:} \quad & \tfrac12 \left( \tfrac{1 + 2 + 3}{3} + \tfrac{6}{1} \right)
#     = \tfrac12 (2 + 6) = 4 \\
#   \text{weighted by share:} \quad & \tfrac34 \cdot 2 + \tfrac14 \cdot 6 = 3
# \end{aligned}$$
#
# With equal shares it is, but with unequal shares the lone example counts as much as the other three
# together, unless each mean is weighted by its share of the batch.

# %%
paper_gradients = np.array([1.0, 2.0, 3.0, 6.0])
equal = (paper_gradients[:2].mean() + paper_gradients[2:].mean()) / 2
unequal = (paper_gradients[:3].mean() + paper_gradients[3:].mean()) / 2
weighted = 3 / 4 * paper_gradients[:3].mean() + 1 / 4 * paper_gradients[3:].mean()
print(f"whole batch {paper_gradients.mean()}, equal {equal}, unequal {unequal}, weighted {weighted}")

# %% [markdown]
# ## When it is exact
#
# The loss is a mean over examples, and the gradient of a sum is the sum of the gradients (2.4). So what
# holds for four numbers should hold for the gradient of a network. We test it in one process, on a batch
# of 32 digits, with equal shares, with unequal ones, and with one more case: a network with batch norm, a
# layer that subtracts the mean of all the examples it sees (8.3). What do you expect of that one?

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)
x_train = torch.from_numpy(images[:321]).clone()  # (321, 64) float64, to compare exactly
y_train = torch.from_numpy(labels[:321]).clone()  # a copy: a slice would be saved with all it was cut from
x_validation = torch.from_numpy(images[321:521]).clone()  # (200, 64)
y_validation = torch.from_numpy(labels[321:521]).clone()  # (200,)


def new_model(norm=False):
    """An untrained network, always the same: 64 pixels, 16 tanh units, 10 classes; float64."""
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(16), nn.Tanh()] if norm else [nn.Tanh()]
    return nn.Sequential(nn.Linear(64, 16), *middle, nn.Linear(16, 10)).double()


def gradient(model, rows):
    """The gradient of the mean loss on these rows, all parameters in one vector (P,)."""
    loss = F.cross_entropy(model(x_train[rows]), y_train[rows])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def averaged_gradient(model, shares, weights=None):
    """Mean of the gradients of all shares (lists of rows), or their sum with the given weights: (P,)."""
    if weights is None:
        weights = [1 / len(shares)] * len(shares)
    return sum(weight * gradient(model, rows) for weight, rows in zip(weights, shares, strict=True))


batch = torch.arange(32)
fair = [batch[:16], batch[16:]]
unfair = [batch[:24], batch[24:]]
cases = {
    "equal shares": (False, fair, None),
    "unequal shares": (False, unfair, None),
    "unequal, weighted": (False, unfair, [24 / 32, 8 / 32]),
    "equal, batch norm": (True, fair, None),
}
differences = {}
for name, (norm, shares, weights) in cases.items():
    model = new_model(norm)
    whole = gradient(model, batch)  # (P,)
    differences[name] = ((averaged_gradient(model, shares, weights) - whole).norm() / whole.norm()).item()
    print(f"{name:20s}relative difference {differences[name]:.1e}")

# %% [markdown]
# Equal shares give the gradient of the batch up to rounding, and so do weighted ones. Unequal shares
# without weights give a quite different gradient, and nothing in the program would complain. Batch norm
# breaks the argument because its examples influence each other, and a share has another mean than the
# batch. PyTorch leaves it at that by default, so every process normalizes with the statistics of its own
# share, which is fine as long as a share has, say, 32 examples (as in Goyal et al. 2017). If shares are
# smaller, on GPUs `nn.SyncBatchNorm.convert_sync_batchnorm(model)` exchanges the statistics as well.
#
# ## Does it pay?
#
# A step now costs arithmetic, which is shared, and communication, which is new. All workers need the sum
# of all gradients. Let them stand in a ring, and let each cut its gradient into $p$ pieces. In each round
# every worker sends one piece, $4n/p$ bytes, to the next worker, which adds it to its own. After $p - 1$
# rounds every piece has been added up somewhere, and after $p - 1$ more rounds everybody has all the sums.
# So each worker sends about twice its gradient, however many workers there are. With $n$ weights, a batch
# of $B$, $p$ workers with $f$ operations per second each, and links with $b$ bytes per second and a delay
# of $\ell$ for each message,
#
# $$t(p) = \frac{6 n B}{p f} + 2 (p - 1) \left(\ell + \frac{4 n}{p\, b}\right) .$$
#
# The six operations for each weight and example are two for the forward pass and four for the backward
# pass, and each number has four bytes. (Real libraries send the first gradients while the others are
# still being computed, which hides a part of the second term.) We take $10^{13}$ operations and $10^{10}$
# bytes per second, a delay of 20 microseconds, and a hundred million weights. For which batch are 256
# workers worth their price?


# %%
def step_seconds(p, n_weights, batch_size, flops=1e13, bandwidth=1e10, delay=2e-5):
    """Time of one step on p workers: shared arithmetic, then a ring all-reduce of float32 gradients."""
    arithmetic = 6 * n_weights * batch_size / (p * flops)
    return arithmetic + 2 * (p - 1) * (delay + 4 * n_weights / (p * bandwidth))


BANDWIDTH = 1e10  # bytes per second
worker_counts = 2 ** np.arange(9)  # 1 to 256
plans = {"256 in all": (256, False), "8192 in all": (8192, False), "8192 for each worker": (8192, True)}
speedups = {}
print(f"{'speed-up of':24s}" + "".join(f"{p:8d}" for p in worker_counts) + "  workers")
for name, (batch_size, grows) in plans.items():
    batches = np.array([batch_size * (p if grows else 1) for p in worker_counts])
    times = np.array([step_seconds(p, 1e8, b, bandwidth=BANDWIDTH) for p, b in zip(worker_counts, batches)])
    examples_per_second = batches / times
    speedups[name] = examples_per_second / examples_per_second[0]
    print(f"{name:24s}" + "".join(f"{speedup:8.1f}" for speedup in speedups[name]))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(
    worker_counts, worker_counts, color="0.7", linewidth=0.8, zorder=0, label="p workers, p times as fast"
)
for (name, speedup), style in zip(speedups.items(), ("o-", "s--", "^-.")):
    ax.loglog(worker_counts, speedup, style, label=f"batch of {name}")
ax.set(xlabel="workers", ylabel="examples per second (one worker = 1)")
ax.set_title("Estimated speed-up, 100 million weights")
ax.legend()
plt.show()

# %% [markdown]
# With a small batch, more workers make it slower, because the gradient is as long as ever and must be
# sent however few examples it came from. With 8,192 examples in all sixteen workers get most of the gain
# that there is, and no number of these workers makes it six times as fast. Only if every worker gets a
# large share of its own does the speed grow with the number of workers, so many machines mean a large
# batch.
#
# ## A larger batch needs another learning rate
#
# A larger batch means fewer steps for each epoch, with less noise in each of them (7.1). If the number of
# epochs and the rate stay the same, the weights move less far in all. A rule of thumb is that a batch
# $k$ times as large gets $k$ times the rate, because one step now replaces $k$ steps (Goyal et al.
# 2017). The rate is raised over the first steps (a warm-up as in lesson 7.3), since a large rate is most
# dangerous at the start. We train for eight epochs with each setting, on four seeds.

# %%
x_all = torch.from_numpy(images).float()  # (1797, 64)
y_all = torch.from_numpy(labels)  # (1797,)


def loss_after_epochs(batch_size, learning_rate, n_warmup, seed, n_epochs=8):
    """Validation loss of a small network after n_epochs of SGD with momentum on 1,280 digits."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (n_warmup + 1)))
    order = torch.randperm(len(x_all))
    training, validation = order[:1280], order[1280:]
    for _ in range(n_epochs):
        for rows in training[torch.randperm(len(training))].split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(x_all[rows]), y_all[rows]).backward()
            optimizer.step()
            warm_up.step()
    with torch.no_grad():
        return F.cross_entropy(model(x_all[validation]), y_all[validation]).item()


BASE_RATE = 0.05  # for a batch of 16
settings = {
    "16": (16, BASE_RATE, 0),
    "128, same rate": (128, BASE_RATE, 0),
    "128, 8 x rate": (128, 8 * BASE_RATE, 0),
    "128, and warm-up": (128, 8 * BASE_RATE, 20),
    "640, same rate": (640, BASE_RATE, 0),
    "640, 40 x rate": (640, 40 * BASE_RATE, 5),
}
batch_losses = {}
print(f"{'batch, rate':20s}validation loss of four seeds")
for name, setting in settings.items():
    batch_losses[name] = [loss_after_epochs(*setting, seed) for seed in range(4)]
    print(f"{name:20s}" + "".join(f"{loss:8.3f}" for loss in batch_losses[name]))

# %% [markdown]
# At the same rate the large batches learn too little in the same number of epochs, and the largest has
# hardly begun. With the rate in proportion, a batch of 128 does as well as a batch of 16. At 640, forty
# times the rate (with a warm-up of five steps) does far better than the same rate, but it is worse than
# the batch of 16 on every seed, probably because the rule can hold only as long as the rate stays away
# from the limit that curvature sets (7.1). (No rate was tuned here, all of them follow from the first by
# the rule.) The warm-up of twenty steps makes hardly any difference in this small network, but Goyal et
# al. needed it in a deep one, and so does the sharp start in lesson 7.3.
#
# ## A real run in two processes
#
# Now we do it with real processes. Each has a number, its *rank* (not the rank of a tensor in lesson 2.1),
# and knows how many there are, the *world size*. The messages between them are carried by a library, gloo
# or, between GPUs, NCCL. `DistributedDataParallel` (DDP) wraps the model, so that `backward()` averages
# the gradients over all processes by itself. The rest is an ordinary training loop. It stands in a
# string, because every process is a Python program of its own that runs this text. While you read it, look
# for two things: which rows does a process see, and why is the loss multiplied by `world / len(rows)`?

# %%
TRAIN_SCRIPT = """
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

folder = Path(sys.argv[1])
rank = int(sys.argv[2])
world = int(sys.argv[3])
torch.set_num_threads(1)
meeting = (folder / "meeting").as_uri()  # a file in which the processes find each other
dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)

task = torch.load(folder / "task.pt", weights_only=True)
x, y = task["x"], task["y"]
model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).double()
model.load_state_dict(task["model"])
parallel = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=task["learning_rate"], momentum=0.9)
n_seen = 0
for epoch in range(task["n_epochs"]):
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))  # the same on every rank
    for rows in order.split(task["batch_size"]):
        mine = rows[rank::world]  # every world-th row of the batch: shares may be unequal
        n_seen += len(mine)
        total = F.cross_entropy(parallel(x[mine]), y[mine], reduction="sum")
        optimizer.zero_grad()
        (total * world / len(rows)).backward()  # DDP adds up the ranks' gradients and divides by world
        optimizer.step()
print(f"rank {rank} of {world} has seen {n_seen} rows", flush=True)
torch.save(model.state_dict(), folder / f"weights_{rank}.pt")
dist.barrier()  # nobody leaves while another may still need it
del parallel  # it holds the process group, which is to end before Python does
dist.destroy_process_group()
"""


def run_processes(script, folder, n_processes, timeout=120):
    """Run the text `script` in n_processes of this machine at once; returns what each of them printed.

    Each gets the folder, its rank and the number of processes as arguments. Raises RuntimeError with their
    reports if one of them fails.
    """
    path = Path(folder) / "train.py"
    path.write_text(script, encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    if sys.platform != "win32":
        environment["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"  # this machine only
    workers = []
    for rank in range(n_processes):
        command = [sys.executable, str(path), str(folder), str(rank), str(n_processes)]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        workers.append(subprocess.Popen(command, env=environment, **pipe))
    try:
        printed = [worker.communicate(timeout=timeout)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()  # does nothing to one that has ended
    if any(worker.returncode for worker in workers):
        raise RuntimeError("a process has failed\n" + "\n".join(printed))
    return printed


# %% [markdown]
# For comparison, the same training in this process, on whole batches. There are 321 rows, so the last
# batch of each epoch is a single row, and one of two processes gets none of it. Will the weights agree?

# %%
task = {"x": x_train, "y": y_train, "batch_size": 32, "learning_rate": 0.1, "n_epochs": 3}
task["model"] = new_model().state_dict()


def train_on_whole_batches(task):
    """What TRAIN_SCRIPT does, in one process: the final state_dict."""
    model = new_model()
    model.load_state_dict(task["model"])
    optimizer = torch.optim.SGD(model.parameters(), lr=task["learning_rate"], momentum=0.9)
    for epoch in range(task["n_epochs"]):
        order = torch.randperm(len(task["x"]), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(task["batch_size"]):
            optimizer.zero_grad()
            F.cross_entropy(model(task["x"][rows]), task["y"][rows]).backward()
            optimizer.step()
    return model.state_dict()


def largest_gap(weights, others):
    """The largest difference between two state_dicts."""
    return max((weights[name] - others[name]).abs().max().item() for name in weights)


with tempfile.TemporaryDirectory() as folder:
    torch.save(task, Path(folder) / "task.pt")
    for text in run_processes(TRAIN_SCRIPT, folder, 2):
        print(text.strip())
    of_ranks = [torch.load(Path(folder) / f"weights_{rank}.pt", weights_only=True) for rank in range(2)]
one_process = train_on_whole_batches(task)
process_gap = max(largest_gap(weights, one_process) for weights in of_ranks)
print(f"largest difference from one process {process_gap:.1e}, ", end="")
print(f"between the two {largest_gap(*of_ranks):.1e}")

# %% [markdown]
# Each process has seen about half of the rows, and both end at the weights of the single process, up to
# rounding. For that it took three changes in the loop: the wrapped model, the choice of rows, and the
# factor of the loss. A plain mean over the share would be right only for equal shares, and DDP would
# average the two means without a word, as in the case of three and one on paper. With the factor, each
# row counts once, whoever has it. (Many programs use a `DistributedSampler` instead, which repeats a few
# rows to make all shares equal. With it, call `set_epoch`, or every epoch has the same order.)
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert equal == weighted == paper_gradients.mean() == 3, (
    "on paper, equal and weighted shares agree with the batch"
)
assert unequal == 4, "on paper, unequal shares do not"
assert differences["equal shares"] < 1e-12, "equal shares give the gradient of the batch"
assert differences["unequal, weighted"] < 1e-12, "weighted unequal shares do, too"
assert differences["unequal shares"] > 0.1, "unequal shares without weights do not"
assert differences["equal, batch norm"] > 0.01, "batch norm breaks the argument"
assert speedups["256 in all"].max() == 1, "with a small batch more workers are slower than one"
assert 4 < speedups["8192 in all"].max() < 6, "with 8,192 examples in all the gain is limited"
assert speedups["8192 in all"][4] > 0.8 * speedups["8192 in all"].max(), "sixteen workers get most of it"
assert np.all(speedups["8192 for each worker"] > 0.8 * worker_counts), (
    "with a large share each the speed grows"
)
small_batch = np.array(batch_losses["16"])  # (4,)
assert np.all(np.array(batch_losses["128, same rate"]) > 1.5 * small_batch), (
    "at the same rate large batches learn less"
)
assert np.all(np.array(batch_losses["640, same rate"]) > 1.5), "the largest batch has hardly begun"
proportional = np.array(batch_losses["128, 8 x rate"])
assert np.mean(proportional) < 1.2 * np.mean(small_batch), (
    "with the rate in proportion a batch of 128 does as well"
)
assert abs(np.mean(batch_losses["128, and warm-up"]) - np.mean(proportional)) < 0.1 * np.mean(proportional), (
    "the warm-up makes hardly any difference here"
)
assert max(batch_losses["640, 40 x rate"]) < 0.5 * min(batch_losses["640, same rate"]), (
    "forty times the rate does far better than the same rate"
)
assert np.all(np.array(batch_losses["640, 40 x rate"]) > small_batch), (
    "forty times the rate is worse than a batch of 16"
)
assert process_gap < 1e-10, "two processes end at the weights of one"
assert largest_gap(*of_ranks) == 0, "the two processes hold the same weights to the last bit"
assert largest_gap(task["model"], one_process) > 0.01, "the training has changed the weights"

# %% [markdown]
# ## Going further
#
# How the sum travels in a ring, a script that survives a crash on several machines, and what comes after
# data parallelism. Nothing later needs them.
#
# ### Summing in a ring
#
# The estimate above let the workers stand in a ring, in which each talks only to its neighbour. This is a
# *ring all-reduce*. If all $p$ workers sent their gradients to one instead, that one would have to
# receive $p - 1$ of them. In the ring each sends $2\,\frac{p - 1}{p}$ times the length of its vector,
# hardly more with a thousand workers than with ten. In the code, `turn` counts the rounds.


# %%
def ring_all_reduce(vectors):
    """Replace each of p vectors (n,) by the sum of all, in place; returns the numbers each worker sent (p,).

    Raises ValueError for vectors of unlike shapes or of whole numbers (their sum might not fit).
    """
    if len({(vector.shape, vector.dtype) for vector in vectors}) != 1 or vectors[0].dtype.kind != "f":
        raise ValueError(
            f"need floating-point vectors of one shape, got {[(v.shape, v.dtype) for v in vectors]}"
        )
    p = len(vectors)
    pieces = [np.array_split(vector, p) for vector in vectors]  # views: pieces[worker][piece]
    n_sent = np.zeros(p, dtype=int)
    for turn in range(2 * (p - 1)):
        finished = turn >= p - 1  # first half: add what arrives; second half: copy it
        sending = [(worker, (worker - turn) % p) for worker in range(p)]
        messages = [pieces[worker][piece].copy() for worker, piece in sending]  # all are sent at once
        for (worker, piece), message in zip(sending, messages):
            target = pieces[(worker + 1) % p][piece]
            target[:] = message if finished else target + message
            n_sent[worker] += len(message)
    return n_sent


for p in (1, 2, 5, 8):
    vectors = [rng.normal(size=1000) for _ in range(p)]
    expected = np.sum(vectors, axis=0)
    n_sent = ring_all_reduce(vectors)
    predicted = 2 * (p - 1) / p * 1000
    print(f"{p} workers   each sent at most {n_sent.max():5d} numbers, by the formula {predicted:.0f}")
    for vector in vectors:
        np.testing.assert_allclose(vector, expected, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ### One text for any number of machines
#
# The more machines take part, the more often one of them fails. So a long training must survive the loss
# of a process, and for that it needs checkpoints. Every machine (a *host*) runs the same script in one
# process for each GPU, or in one process if it has none. A *launcher* starts the processes on its host,
# and they read their rank and the world size from the environment. The loop is that of the lesson, with
# noise on the images, a warm-up and a validation loss, so that a checkpoint has more to keep.
#
# While you read the script, look for what is in the checkpoint, who writes it, and what happens after a
# crash.

# %%
WORKER = """
import math
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel


def main(folder, crash_at, crash_rank):
    torch.set_num_threads(1)
    local_rank = int(os.environ["LOCAL_RANK"])  # the number among the processes of this host
    local_world = int(os.environ["LOCAL_WORLD_SIZE"])
    cuda = torch.cuda.device_count() >= local_world  # a GPU for each process of this host, or none
    device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(seconds=60))
    rank, world = dist.get_rank(), dist.get_world_size()

    task = torch.load(folder / "task.pt", map_location=device, weights_only=True)
    x, y = task["x"], task["y"]
    batch_size, n_steps = task["batch_size"], task["n_steps"]
    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).double().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=task["learning_rate"], momentum=0.9)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5))
    noise = torch.Generator().manual_seed(1)  # the same on every rank

    # each host reads its own checkpoint, and the newest wins: a host without one learns the state here
    checkpoint = folder / "checkpoint.pt"
    state = {"step": 0, "model": task["model"], "history": []}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    steps_on_disk = [None] * world  # will hold the number of steps in every rank's checkpoint
    dist.all_gather_object(steps_on_disk, state["step"])
    newest = steps_on_disk.index(max(steps_on_disk))  # the rank that has gone furthest
    states = [state]  # a list, because broadcasting replaces what is in it
    dist.broadcast_object_list(states, src=newest)
    state = states[0]
    start = state["step"]
    history = state["history"]
    model.load_state_dict(state["model"])
    if start:
        optimizer.load_state_dict(state["optimizer"])
        warm_up.load_state_dict(state["warm_up"])
        noise.set_state(state["noise"])
    if rank == 0:
        print(f"{world} processes, steps in their checkpoints {steps_on_disk}", flush=True)

    parallel = DistributedDataParallel(model, device_ids=[local_rank] if cuda else None)
    n_batches = math.ceil(len(x) / batch_size)  # in an epoch; the last batch may be smaller
    for step in range(start, n_steps):
        epoch, batch = divmod(step, n_batches)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        rows = order.split(batch_size)[batch]
        blur = 0.1 * torch.randn(len(rows), 64, generator=noise, dtype=x.dtype).to(device)
        mine = slice(rank, None, world)  # every world-th row of the batch: shares may be unequal
        logits = parallel(x[rows[mine]] + blur[mine])
        total = F.cross_entropy(logits, y[rows[mine]], reduction="sum")
        optimizer.zero_grad()
        (total * world / len(rows)).backward()  # DDP divides the sum over the ranks by world
        if step == crash_at and rank == crash_rank and start == 0:  # only in the first attempt
            print(f"rank {rank} dies at step {step}", flush=True)
            os._exit(1)
        optimizer.step()
        warm_up.step()
        if (step + 1) % 5 == 0:
            with torch.no_grad():  # each rank judges its share of the validation rows
                logits = model(task["x_validation"][mine])
                loss = F.cross_entropy(logits, task["y_validation"][mine], reduction="sum")
            dist.all_reduce(loss)  # the sum over all ranks, on every rank
            history.append(loss.item() / len(task["y_validation"]))
            if rank == 0:
                print(f"step {step + 1:4d}   validation loss {history[-1]:.4f}", flush=True)
            if local_rank == 0:  # one process of each host writes
                state = {"step": step + 1, "history": history, "noise": noise.get_state()}
                state |= {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(state | {"warm_up": warm_up.state_dict()}, folder / "unfinished.pt")
                os.replace(folder / "unfinished.pt", checkpoint)  # whole or not at all
    if local_rank == 0:
        torch.save({"model": model.state_dict(), "history": history, "start": start}, folder / "final.pt")
    dist.barrier()  # nobody leaves while another may still need it
    del parallel  # it holds the process group, which is to end before Python does
    dist.destroy_process_group()


main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""
body = [line for line in WORKER.splitlines() if line and not line.startswith(("import", "from"))]
print(f"{len(body)} lines without the imports")

# %% [markdown]
# - **Checkpoint.** It holds all that the future depends on: step, model, optimizer with its velocities,
#   schedule, and the state of the random generator. It is written beside the old one and renamed, so a
#   crash while writing cannot destroy both.
# - **Who writes.** One process of each host, into a folder of its own: no shared disk is needed.
# - **After a crash** everybody starts again, the hosts compare their checkpoints, and the newest is sent
#   to all. If each host continued from its own file, hosts with different files would average
#   gradients of different steps, and no error would say so.
#
# ### Two hosts and a crash
#
# The launcher is `torchrun`, the same as `python -m torch.distributed.run`. On every host the same
# command is given, with these options, of which only the host's own address and who is the first differ:
#
# - `--nnodes` is the number of hosts and `--nproc-per-node` the number of processes on each.
# - `--rdzv-endpoint` is the place where the launchers meet (their *rendezvous*): an address of the first
#   host, and a port that its firewall leaves open. `--rdzv-id` is any name for this run.
# - `--max-restarts` says how often all processes are started again after one of them died.
# - `--rdzv-conf=is_host` (with others like `join_timeout`, separated by commas) and `--local-addr` are
#   needed on Debian and Ubuntu, because there a host's own name leads to `127.0.1.1`, so the first host
#   does not recognize itself in the endpoint, and the others are told an address that leads nowhere.
# - `GLOO_SOCKET_IFNAME` (with GPUs `NCCL_SOCKET_IFNAME`) names the network card to talk through.
# - `TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1` lets restarted processes meet at a fresh place. Without it they
#   may read addresses of dead ones (PyTorch issue 135712), and a host that comes back is not let in.


# %%
def torchrun_options(endpoint, n_hosts, per_host, own_address, is_first, max_restarts=0):
    """The options of `torchrun` on one host; endpoint: "address:port" of the first host."""
    return [
        f"--nnodes={n_hosts}",
        f"--nproc-per-node={per_host}",
        f"--max-restarts={max_restarts}",
        "--rdzv-backend=c10d",
        "--rdzv-id=digits",
        f"--rdzv-endpoint={endpoint}",
        f"--rdzv-conf=is_host={int(is_first)}",
        f"--local-addr={own_address}",
    ]


for host, address in enumerate(("10.0.0.1", "10.0.0.2")):
    options = torchrun_options("10.0.0.1:29400", 2, 1, address, host == 0, max_restarts=2)
    print(f"on the host {address}:")
    print("  export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 GLOO_SOCKET_IFNAME=eth0")
    print(
        "  torchrun "
        + " \\\n    ".join([" ".join(options[:5]), " ".join(options[5:]), "worker.py FOLDER -1 -1"])
    )

# %% [markdown]
# To try it on two machines, write the text `WORKER` into a file `worker.py` on each, save the `task`
# that is completed below as `task.pt` in a folder on each (both with the same version of PyTorch), put in
# your addresses and the name of your network card (`ip address` tells both), and give the two commands.
# (The two numbers after the folder are for our rehearsal: the step at which a process shall die, and its
# rank.) We have one machine, so we rehearse there: two launchers, each with a folder of its own, meet on
# the machine's own address, which is all that they share. On Windows they meet in a file, because
# PyTorch for Windows lacks a library that the other way needs (issue 148283).


# %%
def free_port():
    """A port of this machine that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_hosts(script, folders, *args, per_host=1, max_restarts=0, timeout=300):
    """Run the text `script` under one launcher for each folder; returns what each launcher printed.

    Raises RuntimeError with the reports of all launchers if one of them fails, TimeoutError after `timeout`.
    """
    endpoint = f"127.0.0.1:{free_port()}"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    environment["PYTHONUTF8"] = "1"  # what they print is read as UTF-8 below, on any system
    if sys.platform != "win32":
        environment["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"  # this machine only
    launchers = []
    for host, folder in enumerate(folders):
        (Path(folder) / "worker.py").write_text(script, encoding="utf-8")
        options = torchrun_options(endpoint, len(folders), per_host, "127.0.0.1", host == 0, max_restarts)
        if sys.platform == "win32":
            meeting = Path(folders[0]).parent / "meeting"
            options = [option for option in options if not option.startswith(("--rdzv-end", "--rdzv-conf"))]
            options += [f"--rdzv-endpoint={meeting}", "--rdzv-conf=store_type=file"]
        command = [sys.executable, "-m", "torch.distributed.run", *options, "worker.py", str(folder)]
        command += [str(arg) for arg in args]
        own = environment | {"TMPDIR": str(folder)}
        with open(Path(folder) / "log.txt", "w", encoding="utf-8") as log:  # the launcher keeps it open
            launchers.append(subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log))
    try:
        codes = [launcher.wait(timeout) for launcher in launchers]
    except subprocess.TimeoutExpired as late:
        raise TimeoutError(f"the launchers are not done after {timeout} seconds") from late
    finally:
        for launcher in launchers:
            if launcher.poll() is None:
                launcher.terminate()  # it ends its workers, too
                launcher.wait(60)
    printed = [(Path(folder) / "log.txt").read_text(encoding="utf-8") for folder in folders]
    if any(codes):
        raise RuntimeError(f"the launchers ended with codes {codes}\n" + "\n".join(printed))
    return printed


# %% [markdown]
# For comparison, the same training in this process, on whole batches and without any of this.

# %%
task |= {"x_validation": x_validation, "y_validation": y_validation, "n_steps": 30}


def train_alone(task):
    """The task on whole batches in one process: the final state_dict and the validation losses."""
    model = new_model()
    model.load_state_dict(task["model"])
    optimizer = torch.optim.SGD(model.parameters(), lr=task["learning_rate"], momentum=0.9)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5))
    noise = torch.Generator().manual_seed(1)
    x, y, batch_size = task["x"], task["y"], task["batch_size"]
    history = []
    for step in range(task["n_steps"]):
        epoch, batch = divmod(step, math.ceil(len(x) / batch_size))
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        rows = order.split(batch_size)[batch]
        blur = 0.1 * torch.randn(len(rows), 64, generator=noise, dtype=x.dtype)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows] + blur), y[rows]).backward()
        optimizer.step()
        warm_up.step()
        if (step + 1) % 5 == 0:
            with torch.no_grad():
                loss = F.cross_entropy(model(task["x_validation"]), task["y_validation"])
            history.append(loss.item())
    return model.state_dict(), history


alone_weights, alone_history = train_alone(task)

# %% [markdown]
# Now we start the two hosts and let the process with rank 1 die in step 12, when the last checkpoint was
# written after step 10. What will the launchers do, and will the end be the same?

# %%
CRASH_AT = 12
with tempfile.TemporaryDirectory() as parent:
    folders = [Path(parent) / name for name in ("host_a", "host_b")]
    for folder in folders:
        folder.mkdir()
        torch.save(task, folder / "task.pt")
    printed = run_hosts(WORKER, folders, CRASH_AT, 1, max_restarts=2)
    finals = [torch.load(folder / "final.pt", weights_only=True) for folder in folders]

told = ("processes, steps", "dies at", "validation loss")
for name, text in zip(("host a", "host b"), printed):
    for line in text.splitlines():
        if any(words in line for words in told):
            print(f"{name}: {line.partition(']:')[2] or line}")
restarted_at = finals[0]["start"]
crash_gap = max(largest_gap(final["model"], alone_weights) for final in finals)
print(f"largest difference from one process {crash_gap:.1e}, between the hosts ", end="")
print(f"{largest_gap(finals[0]['model'], finals[1]['model']):.1e}")

# %% [markdown]
# Each line is from the rank that printed it. After the death of one process both launchers started their
# processes again, these found step 10 in both checkpoints, repeated the two lost steps and went on. The
# final weights are those of the single process up to rounding, and equal on both hosts.

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
checked_steps = np.arange(5, task["n_steps"] + 1, 5)
ax.plot(checked_steps, alone_history, color="0.7", linewidth=6, label="one process")
ax.plot(checked_steps, finals[0]["history"], "o-", label="two hosts, one crash")
ax.axvline(CRASH_AT, color="0.4", linewidth=0.8, linestyle=":")
ax.axvline(restarted_at, color="0.4", linewidth=0.8, linestyle="--")
ax.set(xlabel="step", ylabel="validation loss (nats)")
ax.set_title("The same training in one process and on two hosts")
ax.legend()
plt.show()

# %% [markdown]
# The dotted line is the crash, the dashed line the step from which both hosts went on, and the two curves
# lie on each other.
#
# ### What a restart saves, and what it does not
#
# A process that dies is the easy case, because its launcher lives and starts it again. What if a whole
# host dies? The table is not run here. It holds what was seen when two launchers were killed in all these
# ways, once each, always with `--max-restarts=2`.
#
# | what dies | with | the other host |
# | --- | --- | --- |
# | host b, for good | `--nnodes=2` | waits for it (600 s, or `--rdzv-conf=join_timeout=…`), then fails |
# | host b, and its command is given there again | `--nnodes=2` | goes on with it, from the checkpoint |
# | host b, for good | `--nnodes=1:2` | goes on alone, with whole batches |
# | host b hangs, its connections stay open | any | notices after the `timeout` of `init_process_group` |
# | host a, where the launchers meet | any | fails within seconds, in spite of the restarts |
# | the launcher of host b alone | any | trains to the end, but its launcher does not exit |
#
# So `--max-restarts` does not bring a host back, and somebody, usually the cluster's own scheduler, has
# to give the command there again. A smaller number of hosts is accepted only if you allow it with
# `--nnodes=MIN:MAX`. And the host with the meeting place must not die; if it does, all commands are
# given again, and the checkpoints save the work. Do not use the launcher's own count of restarts to find
# out whether an attempt is the first, because each launcher counts for itself. `start == 0`, as in the
# script, is the same everywhere.
#
# ### Sharing the weights as well
#
# In data parallelism every process holds the whole network, its gradients and what the optimizer keeps,
# which is more than one device can hold of a large model. `fully_shard` cuts all three into as many
# parts as there are processes. Before a layer is used, its weights are gathered from all of them, and
# dropped again afterwards. We run it in two processes, train for a few steps with Adam, and count the
# bytes that each holds.

# %%
SHARDED = '''
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()


def new_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 10))


def train(model, x, y):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return optimizer


def kilobytes(tensors):
    """What this process holds of these tensors: of a sharded one, its own part."""
    parts = [t.to_local() if hasattr(t, "to_local") else t for t in tensors]
    return sum(part.numel() * part.element_size() for part in parts) / 1000


def report(name, model, optimizer):
    kept = [v for state in optimizer.state.values() for key, v in state.items() if key != "step"]
    numbers = [kilobytes(model.parameters()), kilobytes(w.grad for w in model.parameters()), kilobytes(kept)]
    print(f"held {name:16s}" + "".join(f"{number:12.0f}" for number in numbers), flush=True)


torch.manual_seed(1)
x, y = torch.randn(64, 64, dtype=torch.float64), torch.randint(10, (64,))
alone = new_model().double()
optimizer = train(alone, x, y)
if rank == 0:
    report("by one process", alone, optimizer)
model = new_model().double()
mesh = init_device_mesh("cpu", (world,))
for layer in model:
    if isinstance(layer, nn.Linear):
        fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
optimizer = train(model, x[rank::world], y[rank::world])  # the optimizer is made after sharding
for turn in range(world):
    if rank == turn:
        report(f"by rank {rank} of {world}", model, optimizer)
    dist.barrier()
gathered = [w.full_tensor() for w in model.parameters()]  # on every rank: it communicates
gap = max((w - v).abs().max().item() for w, v in zip(gathered, alone.parameters()))
if rank == 0:
    print(f"gap {gap:.1e}", flush=True)
dist.barrier()
del model, optimizer, gathered
dist.destroy_process_group()
'''
with tempfile.TemporaryDirectory() as folder:
    sharded_log = run_hosts(SHARDED, [folder], per_host=2)[0]
held = {}
print(f"{'kilobytes':21s}{'weights':>12s}{'gradients':>12s}{'Adam':>12s}")
for line in sharded_log.splitlines():
    if line.startswith("held by"):
        print(line.removeprefix("held "))
        held[line[5:21].strip()] = [float(number) for number in line[21:].split()]
sharded_gap = float(sharded_log.partition("gap ")[2].split()[0])
print(f"largest difference from one process {sharded_gap:.1e}")

# %% [markdown]
# Each process holds half of everything, and the weights are those of one process up to rounding. The
# price is communication, because the weights now travel in every step, too. (What is gathered for a
# moment while a layer is computed is not counted here.)

# %%
whole_held = np.array(held["by one process"])
for rank in range(2):
    part = np.array(held[f"by rank {rank} of 2"]) / whole_held
    assert np.allclose(part, 0.5, atol=0.01), "each process holds half of everything"
assert sharded_gap < 1e-9, "the sharded training ends at the weights of one process"
assert restarted_at == 10, "after the crash the hosts go on from the last checkpoint"
assert crash_gap < 1e-10, "two hosts with a crash end at the weights of one process"
assert largest_gap(finals[0]["model"], finals[1]["model"]) == 0, "the two hosts agree to the last bit"
assert np.allclose(finals[0]["history"], alone_history, rtol=1e-10), "the two curves agree"

# %% [markdown]
# ## What to remember
#
# - The mean of equal shares' gradients is the gradient of the batch, so data parallelism changes nothing
#   but the time. Unequal shares have to be weighted, and batch norm sees only its own share.
# - It pays if the arithmetic of a share takes longer than sending the gradient: large batches, fast
#   links. A batch $k$ times as large needs about $k$ times the learning rate, within limits, and often a
#   warm-up.
# - With DDP a training loop changes in three places: the wrapped model, the choice of rows, and the factor
#   of the loss.
# - What survives a crash is the checkpoint: step, model, optimizer, schedule and random state, written
#   whole or not at all.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In the cost estimate set `BANDWIDTH = 1e12`, a hundred times as much. How many workers are now worth
#    while for 8,192 examples in all, and what limits them? Look at the first figure.
# 2. Set `CRASH_AT = 3`, before the first checkpoint. How often will the process die now, and how does the
#    lesson end? Read the condition in front of `os._exit`, then the report of the launchers.
# 3. From a blank cell after the one that defines `ring_all_reduce`: write `star_all_reduce(vectors)`, in
#    which all send their vectors to the first worker, which sends the sum back. Count what each worker
#    sends and receives with eight workers of 1,000 numbers, and compare with the ring.
#
# ## Sources
#
# - P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009.
#   Reproduced: `test_ring_gives_everyone_the_sum`.
# - P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 2.
#   Reproduced: "with the rate in proportion a batch of 128 does as well".
# - S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel training", VLDB 2020.
# - S. Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter models", SC 2020:
#   shared weights. Reproduced: "each process holds half of everything".
# - PyTorch documentation, _torchrun (Elastic Launch)_: the options.
# - E. Alpaydin, C. Kaynak, _Optical recognition of handwritten digits_, UCI, 1998: the data, CC BY 4.0.
