# %% [markdown]
# # 8.1 Dropout: in training, random units are switched off
#
# A network with hundreds of weights for each of its images can learn the images by heart, and then it is
# good on them and worse on all others. How can that be hindered without giving up the large network? In an
# office where one colleague always knows the answer, nobody else learns it, but if a different half of the
# staff is absent every day, all have to learn. *Dropout* does this to the units of a network: at every
# training step a random part of them is set to zero. Whatever keeps a network from fitting its training
# examples too closely is called *regularization*, and dropout is one of its most widely used forms, in
# networks for images as in Transformers.
#
# **You will build** dropout with its backward pass and as a PyTorch module, measure what it does to
# training and validation loss, and find out what network it is that remains when it is switched off.
# **You need** the multilayer perceptron (5.6), Adam (7.2), schedules (7.3), bias and variance (7.6) and
# intervals for a paired difference (7.7).

# %%
import itertools
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
# Two units have the values $h = (2, 4)$, and each is kept with probability $\frac12$, independently of the
# other. A *mask* (2.2) of zeros and ones says which are kept. All four masks are equally likely:
#
# $$\begin{aligned}
#   \text{kept as they are} \quad & (2, 4),\; (2, 0),\; (0, 4),\; (0, 0) & \text{mean } (1, 2) \\
#   \text{divided by } \tfrac12 \quad & (4, 8),\; (4, 0),\; (0, 8),\; (0, 0) & \text{mean } (2, 4)
# \end{aligned}$$
#
# As they are, the next layer would receive half as much in training as later, when nothing is dropped. So
# whatever is kept is divided by the probability of keeping it, and then the mean over all masks is $h$
# itself. With $p$ for the probability of _dropping_ a unit, as in PyTorch, the divisor is $1 - p$. Since
# the scaling is done in training, using the network needs none of it.

# %%
two_units = np.array([2.0, 4.0])
four_masks = np.array(list(itertools.product([0, 1], repeat=2)))  # (4, 2)
print("mean over the masks, as they are:", (four_masks * two_units).mean(axis=0))
print("mean over the masks, divided by 1/2:", (four_masks * two_units / 0.5).mean(axis=0))
assert np.array_equal((four_masks * two_units / 0.5).mean(axis=0), two_units)

# %% [markdown]
# ## From scratch
#
# Every unit is drawn again for every example in the batch, so each example meets a mask of its own. With
# $m_i = 1 / (1 - p)$ for a kept unit and $m_i = 0$ for a dropped one, the output and its gradient are
#
# $$\tilde h_i = m_i h_i, \qquad
#   \frac{\partial L}{\partial h_i} = m_i \frac{\partial L}{\partial \tilde h_i} .$$
#
# A unit that was dropped had no part in the loss, and so it gets no gradient. The backward pass needs the
# mask that was drawn in the forward pass, so the forward function returns the mask as well.


# %%
def dropout_forward(h, p, training, rng):
    """Dropout of h, any shape: (output, mask), where the mask holds 0 or 1 / (1 - p); Srivastava et al. 2014.

    Raises ValueError unless 0 <= p < 1. If training is false, the output is a copy of h and the mask ones.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p has to be in [0, 1), got {p}")
    # a number drawn between 0 and 1 is at least p with the probability 1 - p
    kept = rng.random(h.shape) >= p if training else np.ones(h.shape, dtype=bool)
    scale = 1 / (1 - p) if training else 1.0
    dtype = h.dtype if np.issubdtype(h.dtype, np.floating) else np.float64  # whole numbers give floats
    mask = (kept * scale).astype(dtype)
    return h * mask, mask


def dropout_backward(grad_out, mask):
    """Gradient at the input of `dropout_forward`, from the one at its output and the mask it drew."""
    return grad_out * mask


# %% [markdown]
# We check two promises. The mean over many masks should be the input. And since a unit is $h / (1 - p)$
# with probability $1 - p$ and otherwise zero, the mean of its square is $h^2 / (1 - p)$. Its variance is
# that minus $h^2$, the square of its mean, which gives $h^2 p / (1 - p)$. By how many standard errors (2.8)
# are the means off, and by what factor the variances?

# %%
five_units = rng.normal(size=5)
N_MASKS = 40_000
means_off = {}
variance_ratios = {}
print(f"{'p':8s}{'worst mean':>20s}{'variance / formula':>20s}")
for p in (0.2, 0.5, 0.8):
    out, _ = dropout_forward(np.tile(five_units, (N_MASKS, 1)), p, training=True, rng=rng)  # (N_MASKS, 5)
    expected_variance = five_units**2 * p / (1 - p)  # (5,)
    standard_errors = np.sqrt(expected_variance / N_MASKS)
    means_off[p] = np.max(np.abs(out.mean(axis=0) - five_units) / standard_errors)
    variance_ratios[p] = np.mean(out.var(axis=0) / expected_variance)
    print(f"{p:<8}{means_off[p]:10.1f} std. err.{variance_ratios[p]:20.3f}")

# %% [markdown]
# The means are right within the scatter of 40,000 masks, and the variances follow the formula. So dropout
# leaves the mean alone and adds noise, which at $p = 0.8$ is four times $h^2$.
#
# ## In PyTorch
#
# As a module it is a few lines. A module knows from `self.training` (4.3) which mode it is in, and
# autograd takes care of the backward pass. `nn.Dropout` draws in the same way, so from the same seed both
# must drop the same units, with equal outputs and gradients.


# %%
class Dropout(nn.Module):
    """`nn.Dropout` in plain operations; raises ValueError unless 0 <= p < 1."""

    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p has to be in [0, 1), got {p}")
        self.p = p

    def forward(self, h):
        if not self.training:
            return h
        kept = torch.empty_like(h).bernoulli_(1 - self.p)  # ones with probability 1 - p, else zeros
        return h * (kept / (1 - self.p))


units = torch.randn(7, 11, dtype=torch.float64, requires_grad=True)
grad_out = torch.randn(7, 11, dtype=torch.float64)
outputs = []
for layer in (Dropout(0.3), nn.Dropout(0.3)):
    torch.manual_seed(1)
    out = layer(units)
    outputs.append((out, torch.autograd.grad(out, units, grad_out)[0]))
    layer.eval()
    assert torch.equal(layer(units), units)
for ours, theirs in zip(*outputs):  # first the two outputs, then the two gradients
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
mask = (outputs[0][0] / units).detach().numpy()  # the output is the input times the mask
np.testing.assert_allclose(dropout_backward(grad_out.numpy(), mask), outputs[0][1], rtol=1e-10, atol=1e-12)
print("units dropped in the first three rows:", [np.flatnonzero(row == 0).tolist() for row in mask[:3]])

# %% [markdown]
# Module, library and NumPy agree. The rows lost different units, because each example has a mask of its
# own.
#
# ## What it does to training and validation loss
#
# A network with two hidden layers of 128 units, over a hundred thousand weights, learns from 1,000 images
# of Fashion-MNIST. We compare $p = 0$ and $p = 0.5$ behind both hidden layers, with four seeds. Each pair
# shares its images, its first weights and its batches, and Adam's rate falls in a straight line. What do
# you expect of the two training losses, measured without dropout, and of the two validation losses?

# %%
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)
valid_images = train_images[4000:]
valid_labels = train_labels[4000:]


def make_network(p, width=128):
    """Pixels to ten logits through two hidden layers, each followed by dropout with probability p."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, width),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(width, 10),
    )


# %%
def evaluate(model, x, y):
    """Loss (nats) and accuracy of `model` in eval mode on images x with labels y."""
    model.eval()
    with torch.no_grad():
        logits = model(x)  # (n, 10)
    return F.cross_entropy(logits, y).item(), (logits.argmax(dim=1) == y).float().mean().item()


def train(p, seed, n_train=1000, n_epochs=40, batch_size=100, learning_rate=6e-3):
    """A network trained with dropout p, and its history: (training loss, validation loss) after each epoch.

    The same seed gives the same images, first weights and batches for every p. The images are one small
    tensor, so batches are drawn by index. Raises ValueError for more than 4,000 training images.
    """
    if n_train > 4000:
        raise ValueError(f"4,000 images are there to train on, got n_train = {n_train}")
    torch.manual_seed(seed)
    model = make_network(p)
    order = torch.Generator().manual_seed(seed)  # its own, or the masks would change the batches
    chosen = torch.randperm(4000, generator=order)[:n_train]
    x = train_images[chosen]
    y = train_labels[chosen]
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=n_epochs)
    history = []
    for _ in range(n_epochs):
        model.train()
        for batch in torch.randperm(n_train, generator=order).split(batch_size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        history.append((evaluate(model, x, y)[0], evaluate(model, valid_images, valid_labels)[0]))
    return model, np.array(history).reshape(-1, 2)  # (n_epochs, 2), also for no epoch


# %%
SEEDS = range(4)
DROP_P = 0.5
NAMES = ("without", "with dropout")
models = {}
histories = {}
accuracies = {}
for name, p in zip(NAMES, (0.0, DROP_P)):
    trained = [train(p, seed) for seed in SEEDS]
    models[name] = [model for model, _ in trained]
    histories[name] = np.array([history for _, history in trained])  # (4, n_epochs, 2)
    accuracies[name] = np.array([evaluate(m, valid_images, valid_labels)[1] for m in models[name]])  # (4,)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
epochs = np.arange(1, histories["without"].shape[1] + 1)
for ax, name in zip((left, right), NAMES):
    ax.plot(epochs, histories[name][:, :, 0].T, "C0--", linewidth=0.8)
    ax.plot(epochs, histories[name][:, :, 1].T, "C1-", linewidth=0.8)
    ax.plot([], [], "C0--", label="training images")
    ax.plot([], [], "C1-", label="validation images")
    ax.set(xlabel="epoch", title=f"Loss {name} (four seeds)")
left.set(ylabel="loss (nats)", ylim=(0, None))
left.legend()
plt.show()

# %% [markdown]
# Without dropout the training loss goes towards zero, and the validation loss falls for a few epochs and
# then rises again. That is overfitting (7.6). With dropout the training loss stays higher, and the
# validation loss ends lower. Is the network also right more often? The table has the means of the four
# seeds after the last epoch, and in its third row the validation loss of each network's best epoch. Its
# last column is a 95 % interval for the difference, pair by pair (Student's $t$ for four pairs is $3.18$).

# %%
T_95 = 3.182


def paired_interval(differences):
    """The 95 % interval of the mean of four paired differences (7.7)."""
    half_width = T_95 * differences.std(ddof=1) / np.sqrt(len(differences))
    return differences.mean() - half_width, differences.mean() + half_width


results = {
    "training loss": {name: histories[name][:, -1, 0] for name in NAMES},
    "validation loss": {name: histories[name][:, -1, 1] for name in NAMES},
    "at the best epoch": {name: histories[name][:, :, 1].min(axis=1) for name in NAMES},
    "validation accuracy": accuracies,
}
intervals = {}
print(f"{'mean of four':20s}{'without':>12s}{'dropout':>12s}   difference (95 %)")
for row, values in results.items():
    low, high = paired_interval(values["with dropout"] - values["without"])
    intervals[row] = (low, high)
    means = "".join(f"{values[name].mean():12.3f}" for name in NAMES)
    print(f"{row:20s}{means}   {low:+.3f} to {high:+.3f}")

# %% [markdown]
# Dropout costs training loss, several times as much as before, and lowers the validation loss at the end
# on every seed. In the third row, at the best epochs, the difference is only a small part of that at the
# end, so a stop at the right time (8.5) would have brought most of the gain. The accuracy at the end
# gains about half a point, and its interval hardly excludes zero. Loss and accuracy differ because the
# loss also counts how sure the network is of its wrong answers (5.5), and overfitting makes it surer of
# them from epoch to epoch, while which answer comes first changes little. So dropout makes this network
# more cautious, and at this size hardly more often right. (One $p$ and one learning rate were used for
# all, and neither was tuned.)
#
# ## Which network remains in eval mode?
#
# Every mask makes another network out of the same weights, and with $n$ units there are $2^n$ of them.
# Training with dropout trains some of these at every step, one for each example. Eval mode uses a single
# network in place of all of them. Does it compute their mean? For a network of ten hidden units we can
# ask all 1,024 of them. It learns digits, with dropout of one half.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
pixels = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
digit_labels = digits[:, 64].astype(np.int64)  # (1797,)
new_pixels = pixels[1500:]  # (297, 64): the network learns from the others
new_labels = digit_labels[1500:]

torch.manual_seed(0)
small = nn.Sequential(nn.Linear(64, 10), nn.Tanh(), nn.Dropout(0.5), nn.Linear(10, 10)).double()
optimizer = torch.optim.Adam(small.parameters(), lr=0.02)
small.train()
for _ in range(300):
    batch = torch.randint(1500, (50,)).numpy()
    loss = F.cross_entropy(small(torch.from_numpy(pixels[batch])), torch.from_numpy(digit_labels[batch]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

masks = np.array(list(itertools.product([0, 1], repeat=10))) / 0.5  # (1024, 10): every mask once
with torch.no_grad():
    hidden = small[:2](torch.from_numpy(new_pixels)).numpy()  # (297, 10)
    weight = small[3].weight.numpy()  # (10, 10)
    bias = small[3].bias.numpy()  # (10,)
members = (masks[:, None] * hidden) @ weight.T + bias  # (1024, 1, 10) * (297, 10) -> (1024, 297, 10)
eval_logits = hidden @ weight.T + bias  # (297, 10) @ (10, 10) -> (297, 10)

# %% [markdown]
# The logits are linear in the mask, so their mean over all masks is the logit for the mean mask, which is
# eval mode. For probabilities it depends on the kind of mean. In a _geometric_ mean, in which logarithms
# are averaged, each class has the logit minus a term that is common to all classes, and the common term
# disappears when the result is made to sum to one. So it should agree, too:
#
# $$\frac{\prod_m \operatorname{softmax}(z_m)_k^{1/M}}{\sum_j \prod_m \operatorname{softmax}(z_m)_j^{1/M}}
#   = \operatorname{softmax}\Big(\frac1M \sum_m z_m\Big)_k .$$
#
# There is no such argument for the ordinary mean of the probabilities, or if another nonlinearity follows,
# as in a network with more layers. How large are the differences there?


# %%
def log_softmax(z):
    """Logarithm of the softmax over the last axis, stable for large z."""
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


log_probabilities = log_softmax(members)  # (1024, 297, 10)
eval_probabilities = np.exp(log_softmax(eval_logits))  # (297, 10)
geometric = np.exp(log_softmax(log_probabilities.mean(axis=0)))  # (297, 10)
arithmetic = np.exp(log_probabilities).mean(axis=0)  # (297, 10)
gaps = {
    "logits": np.abs(members.mean(axis=0) - eval_logits).max(),
    "geometric mean": np.abs(geometric - eval_probabilities).max(),
    "ordinary mean": np.abs(arithmetic - eval_probabilities).max(),
    "behind a ReLU": np.abs(np.maximum(members, 0).mean(axis=0) - np.maximum(eval_logits, 0)).max(),
}
print(f"{'mean over masks of':20s}{'largest gap to eval mode':>28s}")
for name, gap in gaps.items():
    print(f"{name:20s}{gap:28.2g}")

member_accuracy = np.mean(members.argmax(axis=-1) == new_labels, axis=1)  # (1024,)
accuracy_of_mean = np.mean(arithmetic.argmax(axis=-1) == new_labels)
eval_accuracy = np.mean(eval_logits.argmax(axis=-1) == new_labels)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.hist(member_accuracy, bins=40, color="C0", label="the 1,024 networks")
ax.axvline(eval_accuracy, color="C1", label="eval mode")
ax.axvline(accuracy_of_mean, color="black", linestyle="--", label="mean of their probabilities")
ax.set(xlabel="accuracy on 297 new digits", ylabel="networks", title="All masks of a small network")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Logits and geometric mean agree up to rounding. For the ordinary mean and behind a ReLU eval mode is
# only an approximation, and a single probability can be off by a third. For the answers, which depend on
# the largest probability alone, it is a good one, since both lines in the figure nearly coincide. They
# lie far to the right of the middle of the 1,024 networks, presumably because different networks make
# different mistakes, which partly cancel in the mean (7.6). (With four other seeds it was the same.) So
# eval mode gives nearly the answer of a thousand networks for the price of one.
#
# ## If `eval()` is forgotten
#
# If `model.eval()` is left out, units are still dropped when the network is used. No error is raised. How
# does one notice it? We ask each of the four networks with dropout twice about the same images, in
# training mode.

# %%
torch.manual_seed(0)
lost = []  # accuracy in eval mode minus accuracy in training mode, for each seed
changed = []  # share of the answers that differ between two calls
for seed, model in enumerate(models["with dropout"]):
    right_mode = evaluate(model, valid_images, valid_labels)[1]
    model.train()  # the mistake: this is how training leaves it
    with torch.no_grad():
        first = model(valid_images).argmax(dim=1)  # (1000,)
        second = model(valid_images).argmax(dim=1)
    model.eval()
    wrong_mode = (first == valid_labels).float().mean().item()
    lost.append(right_mode - wrong_mode)
    changed.append((first != second).float().mean().item())
    print(f"seed {seed}: accuracy in eval mode {right_mode:.3f}, in training mode {wrong_mode:.3f}", end="")
    print(f", answers that differ between two calls {changed[-1]:.3f}")

# %% [markdown]
# On each seed the accuracy is a few points lower, which may be overlooked. That the same image gets
# different answers is the clearer sign, so asking twice is the test.
#
# **Where does dropout belong?** Between layers with many weights, behind the activations of wide hidden
# layers. On the input it is used lightly, because it erases evidence, and behind the last layer not at
# all, because it would set logits to zero. With batch norm (8.3) it does not go well together: its noise
# changes the variance in training and not in eval mode, and the running statistics then fit neither.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
for p in means_off:
    assert means_off[p] < 4, "the mean over masks is the input"
    assert abs(variance_ratios[p] - 1) < 0.04, "the variance of a unit is h² p / (1 − p)"
valid_losses = histories["without"][:, :, 1]  # (4, n_epochs)
assert (valid_losses[:, -1] > valid_losses.min(axis=1) + 0.05).all(), "without dropout the loss rises again"
assert intervals["training loss"][0] > 0, "dropout costs training loss"
assert intervals["validation loss"][1] < 0, "dropout lowers the validation loss at the end"
assert (histories["with dropout"][:, -1, 0] > 3 * histories["without"][:, -1, 0]).all(), (
    "several times as much"
)
ends = {name: histories[name][:, -1, 1] for name in NAMES}
assert (ends["with dropout"] < ends["without"] - 0.05).all(), "and lowers the validation loss on every seed"
gains = {row: -np.mean(intervals[row]) for row in ("validation loss", "at the best epoch")}
assert gains["at the best epoch"] < 0.4 * gains["validation loss"], (
    "a stop at the right time would have brought most of the gain"
)
assert -0.01 < intervals["validation accuracy"][0] < 0.01, "that the accuracy gains is barely shown"
assert intervals["validation accuracy"][1] < 0.03, "and it gains a point or two at most"
assert max(gaps["logits"], gaps["geometric mean"]) < 1e-12, "eval mode is the mean of logits, exactly"
assert 0.2 < gaps["ordinary mean"] < 0.5, "a probability can be off by a third"
assert gaps["behind a ReLU"] > 0.1, "and of the mean behind another nonlinearity"
assert eval_accuracy > member_accuracy.mean() + 0.1, "eval mode is right more often than the average member"
assert abs(eval_accuracy - accuracy_of_mean) < 0.03, "it is right nearly as often as the mean of all members"
assert min(lost) > 0.005 and max(lost) < 0.1, "without eval() a few points of accuracy are lost"
assert min(changed) > 0.03, "without eval() the same image gets different answers"

# %% [markdown]
# ## Going further
#
# One use of dropout after training, which no later lesson needs.
#
# ### Asking fifty times: Monte-Carlo dropout
#
# What is a fault when it is forgotten can also be done on purpose. *Monte-Carlo dropout* leaves dropout
# on, asks the network fifty times about each image, and takes the mean of the probabilities. The entropy
# (2.8) of that mean says how unsure the network is. We rank test images by it and ask how well the
# ranking tells wrong answers from right ones, by the AUC (3.4). The control is the entropy of a single
# pass in eval mode. A third score is the part of the entropy that comes from disagreement between the
# masks: the entropy of the mean minus the mean of the entropies. It is zero if all masks say the same,
# however unsure they are.


# %%
def entropy(p):
    """Entropy in nats over the last axis."""
    return -(p * p.clamp_min(1e-12).log()).sum(dim=-1)


def auc(scores, positives):
    """The probability that a random positive has a higher score than a random negative (3.4)."""
    higher = scores[positives][:, None] - scores[~positives]  # (P, 1) - (N,) -> (P, N)
    return ((higher > 0).float() + 0.5 * (higher == 0).float()).mean().item()


# %%
SCORES = ("eval mode, one pass", "fifty masks", "disagreement alone")
aucs = {score: [] for score in SCORES}
mc_accuracy = []
disagreement_shares = []
for seed, model in enumerate(models["with dropout"]):
    torch.manual_seed(seed)
    with torch.no_grad():
        single = model.eval()(test_images).softmax(dim=1)  # (1000, 10)
        model.train()
        answers = torch.stack([model(test_images).softmax(dim=1) for _ in range(50)])  # (50, 1000, 10)
        model.eval()
    mean_answer = answers.mean(dim=0)  # (1000, 10)
    disagreement = entropy(mean_answer) - entropy(answers).mean(dim=0)  # (1000,)
    disagreement_shares.append((disagreement.sum() / entropy(mean_answer).sum()).item())
    wrong = single.argmax(dim=1) != test_labels  # (1000,)
    wrong_mean = mean_answer.argmax(dim=1) != test_labels
    aucs[SCORES[0]].append(auc(entropy(single), wrong))
    aucs[SCORES[1]].append(auc(entropy(mean_answer), wrong_mean))
    aucs[SCORES[2]].append(auc(disagreement, wrong_mean))
    mc_accuracy.append((1 - wrong_mean.float().mean().item(), 1 - wrong.float().mean().item()))
mc_accuracy = np.array(mc_accuracy)  # (4, 2): fifty masks, eval mode

print(f"{'AUC for errors':24s}" + "".join(f"{f'seed {seed}':>10s}" for seed in SEEDS))
for score, values in aucs.items():
    print(f"{score:24s}" + "".join(f"{value:10.3f}" for value in values))
print(f"accuracy: fifty masks {mc_accuracy[:, 0].mean():.3f}, eval mode {mc_accuracy[:, 1].mean():.3f}")
print(f"part of the entropy that is disagreement: {np.mean(disagreement_shares):.0%}")

# %%
model = models["with dropout"][3]  # the last one, to which the answers belong
ranked = entropy(mean_answer).argsort()
same_class = answers.argmax(dim=2) == mean_answer.argmax(dim=1)  # (50, 1000) == (1000,) -> (50, 1000)
agreement = same_class.float().mean(dim=0)  # (1000,): share of masks that give the common answer
unanimous = int((agreement * wrong_mean).argmax())  # the wrong answer that most masks give
shown = [int(ranked[50]), unanimous, int(ranked[900]), int(ranked[985])]
fig, axes = plt.subplots(2, 4, figsize=(10, 5.6), layout="constrained")
for top, bottom, i in zip(*axes, shown):
    top.imshow(test_images[i].numpy(), cmap="gray_r")
    top.set(xticks=[], yticks=[])
    top.set_title(f"{CLASSES[test_labels[i]]}\n{entropy(mean_answer)[i]:.2f}, {disagreement[i]:.2f} nats")
    bottom.boxplot(answers[:, i].numpy(), positions=range(10), showfliers=False, medianprops={"color": "C1"})
    bottom.set_xticks(range(10), CLASSES, rotation=90, fontsize=8)
    bottom.set(ylim=(-0.02, 1.02))
axes[1, 0].set_ylabel("probability, 50 masks")
fig.suptitle("Right class; entropy of the mean and disagreement")
plt.show()

# %% [markdown]
# Fifty masks find errors no better than one pass in eval mode, and they are right about as often. Only
# about a quarter of the entropy is disagreement, and disagreement alone finds errors less well. In the
# figure each box holds the middle half of a class's fifty probabilities. The second image, the wrong
# answer that most masks give, shows why: practically all of them agree on the wrong class, presumably
# because they share weights that have learned the same wrong thing. So for this network the fifty passes
# bought neither accuracy nor a better warning. What one pass cannot give is the split of the entropy into
# disagreement and a doubt that all masks share.

# %%
for fifty, single_pass in zip(aucs["fifty masks"], aucs["eval mode, one pass"]):
    assert single_pass > 0.75, "the entropy of one pass finds errors"
    assert abs(fifty - single_pass) < 0.04, "fifty masks find errors about as well as one pass in eval mode"
assert agreement[unanimous] > 0.95, "practically all masks can agree on a wrong class"
assert np.mean(disagreement_shares) < 0.35, "about a quarter of the entropy is disagreement"
for disagreement_auc, fifty in zip(aucs["disagreement alone"], aucs["fifty masks"]):
    assert disagreement_auc < fifty - 0.03, "disagreement alone finds errors less well"
assert np.abs(mc_accuracy[:, 0] - mc_accuracy[:, 1]).max() < 0.015, "fifty masks are right about as often"

# %% [markdown]
# ## What to remember
#
# - In training dropout sets each unit to zero with probability $p$, independently for every example, and
#   divides the others by $1 - p$. In eval mode it does nothing.
# - It costs training loss and lowers the validation loss of a network that overfits. That need not mean
#   more right answers.
# - Eval mode is the mean over all masks for logits right behind one dropout layer. Elsewhere it is an
#   approximation, which gave nearly the same answers here.
# - Put it behind wide hidden layers, choose $p$ on validation data, and call `model.eval()` before use. If
#   two calls give different answers, it was forgotten.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Set `DROP_P = 0.9`, so that nine units in ten are dropped. What happens to training and validation
#    loss in the first figure and in the table, and which fault of lesson 7.6 is that?
# 2. In `dropout_forward`, draw one mask for the whole batch: `rng.random(h.shape[-1]) >= p`, and for the
#    other mode `np.ones(h.shape[-1], dtype=bool)`. By how many standard errors are the means off in the
#    table of the promises? Would the mean over many batches still be right?
# 3. From a blank cell after the experiment: turn the validation images upside down
#    (`valid_images.flip(1)`) and compare the mean entropy of the network's probabilities, in eval mode,
#    with that of the images as they are. Does the network notice that something is wrong?
#
# ## Sources
#
# - N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a simple way to
#   prevent neural networks from overfitting", JMLR 15, 2014. Reproduced: "dropout lowers the validation".
# - P. Baldi, P. Sadowski, "Understanding dropout", NIPS 2013: the normalized geometric mean. Reproduced:
#   "eval mode is the mean of logits, exactly".
# - X. Li, S. Chen, X. Hu, J. Yang, "Understanding the disharmony between dropout and batch normalization
#   by variance shift", CVPR 2019.
# - Y. Gal, Z. Ghahramani, "Dropout as a Bayesian approximation", ICML 2016: asking with dropout on.
#   Reproduced: "fifty masks find errors about as well".
# - H. Xiao, K. Rasul, R. Vollgraf, _Fashion-MNIST_, 2017; E. Alpaydin, C. Kaynak, _Optical recognition of
#   handwritten digits_, UCI, 1998: the data, MIT and CC BY 4.0.
