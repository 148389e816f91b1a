# %% [markdown]
# # 8.1 Dropout: a team in which anyone may be absent
#
# In an office where the same colleague always knows the answer, nobody else learns it. Send half of the
# staff home every day, another half each time, and everybody has to know a little of everything. *Dropout*
# does this to the units of a network: at every training step a coin decides who stays. What keeps a
# network from learning its examples by heart is called *regularization*, and dropout is the first kind of
# it here.
#
# **You will build** dropout forward and backward, prove what it averages over by visiting every mask, see
# what it does for a network with far too many weights, and use it to ask a network how sure it is. **You
# need** the multilayer perceptron (5.6), training and test (3.4), Adam (7.2), and bias and variance (7.6).

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent
torch.manual_seed(0)
rng = np.random.default_rng(0)

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"]).float() / 255  # (5000, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"]).long()  # (5000,)
    test_images = torch.from_numpy(archive["test_images"]).float() / 255  # (1000, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"]).long()  # (1000,)

# %% [markdown]
# ## The illness first
#
# A network with hundreds of weights for each image that it meets can learn the images by heart, the
# overfitting of lesson 7.6, and nothing in its loss forbids it. We keep other images for validation and
# watch both losses. The argument `p` is the dropout that we will add; for now it is zero.


# %%
def make_network(p, width=256):
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


def evaluate(model, x, y):
    """Loss (nats) and accuracy of `model` in eval mode on images x with labels y."""
    model.eval()
    with torch.no_grad():
        logits = model(x)  # (n, 10)
    return F.cross_entropy(logits, y).item(), (logits.argmax(dim=1) == y).float().mean().item()


validation = train_images[4000:], train_labels[4000:]


def train(p, seed, n_train, n_epochs=40, batch_size=100, learning_rate=4e-3, watch=False):
    """A network trained with dropout p on n_train images drawn with `seed`; its images; its history.

    The same seed gives the same images, first weights and batches for every p, and the learning rate falls
    in a straight line. The history holds one (training loss, validation loss) an epoch where `watch` is true,
    else only the last.
    """
    torch.manual_seed(seed)
    model = make_network(p)
    chosen = torch.randperm(4000)[:n_train]
    x, y = train_images[chosen], train_labels[chosen]
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    order = torch.Generator().manual_seed(seed)  # its own, or the masks would change the batches
    history = []
    for epoch in range(n_epochs):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - epoch / n_epochs)
        model.train()
        for batch in torch.randperm(n_train, generator=order).split(batch_size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if watch or epoch == n_epochs - 1:
            history.append((evaluate(model, x, y)[0], evaluate(model, *validation)[0]))
    return model, (x, y), np.array(history)


runs = {(1000, 0.0, 0): train(0.0, seed=0, n_train=1000, watch=True)}
model, (x, y), history = runs[1000, 0.0, 0]
turning_point = int(history[:, 1].argmin())
print(f"weights: {sum(weight.numel() for weight in model.parameters()):,} for {len(x):,} images")
print(
    f"validation loss: lowest {history[turning_point, 1]:.3f} after epoch {turning_point + 1}, "
    f"{history[-1, 1]:.3f} at the end; training loss {history[-1, 0]:.3f}"
)
assert history[-1, 1] > history[turning_point, 1] + 0.1 and history[-1, 0] < 0.15

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
epochs = np.arange(1, len(history) + 1)
ax.plot(epochs, history[:, 0], "--", label="training")
ax.plot(epochs, history[:, 1], "-", label="validation")
ax.axvline(turning_point + 1, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="epoch", ylabel="loss (nats)", title="Past the grey line it learns by heart")
ax.legend()
plt.show()

# %% [markdown]
# ## On paper first
#
# Two activations, $h = (2, 4)$, and each is kept with probability $\frac12$. Four *masks* are possible:
# $(2, 4)$, $(2, 0)$, $(0, 4)$, $(0, 0)$, whose average is $(1, 2)$. The next layer would hear half of what
# it is used to. So we divide what is kept by the probability of keeping it: $(4, 8)$, $(4, 0)$, $(0, 8)$,
# $(0, 0)$ average to $(2, 4)$. This is *inverted* dropout: training pays for the scaling, so that using
# the network needs none.

# %%
h = np.array([2.0, 4.0])
masks = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])  # (4, 2)
print("average as it is:", (masks * h).mean(axis=0), "  divided by 1/2:", (masks * h / 0.5).mean(axis=0))
assert np.array_equal((masks * h / 0.5).mean(axis=0), h)

# %% [markdown]
# ## From scratch
#
# Each unit draws its own coin, for each example: $m_i = \frac{1}{1-p}$ with probability $1 - p$, else $0$.
# The output and its gradient are
#
# $$\tilde h_i = m_i h_i, \qquad
#   \frac{\partial L}{\partial h_i} = m_i \frac{\partial L}{\partial \tilde h_i} .$$
#
# Who was absent gets no blame. The mask must be the *same* one in both directions, so the forward pass
# hands it on. In *eval mode*, when the network is used and not trained, everybody is present.


# %%
def dropout_forward(h, p, training, rng):
    """Inverted dropout of h, any shape: (output, mask), where the mask holds 0 or 1 / (1 - p).

    Raises ValueError unless 0 <= p < 1. In eval mode (training false) the output is h and the mask ones.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p has to be in [0, 1), got {p}")
    if not training:
        return h, np.ones_like(h)
    mask = ((rng.random(h.shape) >= p) / (1 - p)).astype(h.dtype)
    return h * mask, mask


def dropout_backward(out_grad, mask):
    """Gradient at the input of `dropout_forward`, from the one at its output and the mask it drew."""
    return out_grad * mask


# %% [markdown]
# Two promises to check. The mean over masks is the input itself. And each unit gets noise of a known size:
# a variable that is $h/(1-p)$ or nothing has variance $h^2\, p / (1-p)$.

# %%
h, n_masks = rng.normal(size=5), 40_000
for p in (0.2, 0.5, 0.8):
    out, _ = dropout_forward(np.tile(h, (n_masks, 1)), p, training=True, rng=rng)  # (n_masks, 5)
    error = np.abs(h) * np.sqrt(p / (1 - p) / n_masks)  # (5,): the standard error of each mean
    worst = np.max(np.abs(out.mean(axis=0) - h) / error)
    ratio = np.mean(out.var(axis=0) / (h**2 * p / (1 - p)))
    print(f"p {p}   worst mean is {worst:.1f} standard errors off   variance / theory {ratio:.3f}")
    assert worst < 4 and abs(ratio - 1) < 0.04
out, mask = dropout_forward(h, 0.5, training=False, rng=rng)
assert np.array_equal(out, h) and np.all(mask == 1)

# %% [markdown]
# ## The same in PyTorch
#
# `nn.Dropout` draws its masks inside, but cannot hide them: what it does to a tensor of ones is the mask.
# From the same seed it draws the same mask for our data, and then outputs and gradients must agree.

# %%
layer = nn.Dropout(p=0.3)
h = torch.randn(7, 11, dtype=torch.float64, requires_grad=True)
cotangent = torch.randn(7, 11, dtype=torch.float64)
torch.manual_seed(1)
mask = layer(torch.ones(7, 11, dtype=torch.float64)).numpy()
torch.manual_seed(1)
torch_out = layer(h)
(torch_grad,) = torch.autograd.grad(torch_out, h, cotangent)
np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-10)
np.testing.assert_allclose(torch_out.detach(), h.detach().numpy() * mask, rtol=1e-10, atol=1e-12)
ours = dropout_backward(cotangent.numpy(), mask)
largest = np.abs(ours - torch_grad.numpy()).max()
print(f"largest difference of the gradients {largest:.1e}")
assert largest < 1e-12
layer.eval()
assert torch.equal(layer(h), h)

# %% [markdown]
# ## A crowd of networks
#
# Every mask is a network of its own: the same weights, some units missing. With $n$ units there are $2^n$
# of them, and training with dropout trains a random one at each step. In eval mode we use one network in
# place of that crowd. What does it compute? For a network this small we can ask all of them.
#
# We train ten hidden units on digits with dropout of one half, and then visit all masks.

# %%
digits = np.loadtxt(HERE / "data" / "digits_8x8.csv", delimiter=",")  # (1797, 65): 64 pixels and a label
images = digits[:, :64] / 16  # (1797, 64): 0 is paper, 1 is ink
labels = digits[:, 64].astype(np.int64)  # (1797,)

torch.manual_seed(0)
small = nn.Sequential(nn.Linear(64, 10), nn.Tanh(), nn.Dropout(0.5), nn.Linear(10, 10)).double()
optimizer = torch.optim.Adam(small.parameters(), lr=0.02)
for _ in range(300):
    batch = torch.randint(1500, (50,)).numpy()
    loss = F.cross_entropy(small(torch.from_numpy(images[batch])), torch.from_numpy(labels[batch]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

n_units, p = 10, 0.5
# the binary digits of 0 to 1023 are all the masks, (1024, 10)
masks = np.stack([np.arange(2**n_units) >> unit & 1 for unit in range(n_units)], axis=1) / (1 - p)
with torch.no_grad():
    hidden = small[:2](torch.from_numpy(images[1500:])).numpy()  # (297, 10)
    weight, bias = small[3].weight.numpy(), small[3].bias.numpy()  # (10, 10), (10,)
members = (masks[:, None] * hidden) @ weight.T + bias  # (1024, 1, 10) * (297, 10) -> (1024, 297, 10)
one_network = hidden @ weight.T + bias  # (297, 10) @ (10, 10) -> (297, 10): eval mode
print(f"{len(masks)} networks, {len(hidden)} digits")

# %% [markdown]
# For the *logits* the answer is exact: they are linear in the mask, so the average of all networks is the
# network with the average mask. For *probabilities* it depends on what "average" means. The geometric
# mean, normalised to sum to one, is exact again: the logarithm of a softmax is the logit minus something
# common to all classes, and normalising removes it,
#
# $$\frac{\prod_m \operatorname{softmax}(z_m)_k^{1/M}}{\sum_j \prod_m \operatorname{softmax}(z_m)_j^{1/M}}
#   = \operatorname{softmax}\Big(\frac1M \sum_m z_m\Big)_k .$$
#
# Of the ordinary, arithmetic mean of the probabilities, eval mode is only an approximation.


# %%
def log_softmax(z):
    """Logarithm of the softmax over the last axis, stable for large z."""
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


log_probabilities = log_softmax(members)  # (1024, 297, 10)
eval_probabilities = np.exp(log_softmax(one_network))  # (297, 10)
geometric = np.exp(log_softmax(log_probabilities.mean(axis=0)))  # (297, 10)
arithmetic = np.exp(log_probabilities).mean(axis=0)  # (297, 10)
behind_relu = np.maximum(members, 0).mean(axis=0) - np.maximum(one_network, 0)  # (297, 10)

gaps = {
    "logits": np.abs(members.mean(axis=0) - one_network).max(),
    "geometric mean": np.abs(geometric - eval_probabilities).max(),
    "arithmetic mean": np.abs(arithmetic - eval_probabilities).max(),
    "behind a ReLU": np.abs(behind_relu).max(),
}
print(f"{'eval mode against':20s}{'largest gap':>12s}")
for name, gap in gaps.items():
    print(f"{name:20s}{gap:12.2g}")
assert gaps["logits"] < 1e-12 and gaps["geometric mean"] < 1e-12
assert gaps["arithmetic mean"] > 0.02 and gaps["behind a ReLU"] > 0.1

# %% [markdown]
# The last row is the warning: behind one more nonlinearity, eval mode is an approximation, and that is the
# usual case. It is a good one: the accuracies of eval mode and of the crowd's mean hardly differ. On the
# right are the crowd's answers for one digit on which its members disagree: a box holds the middle half of
# them, and the line in it is the median.

# %%
accuracy_of = {
    "members": np.mean(members.argmax(axis=-1) == labels[1500:], axis=1),  # (1024,)
    "their mean": np.mean(arithmetic.argmax(axis=-1) == labels[1500:]),
    "eval mode": np.mean(one_network.argmax(axis=-1) == labels[1500:]),
}
disputed = int(np.argsort(arithmetic.max(axis=1))[30])
print("accuracy: " + ", ".join(f"{name} {np.mean(value):.3f}" for name, value in accuracy_of.items()))
assert accuracy_of["eval mode"] > accuracy_of["members"].mean() + 0.1
assert abs(accuracy_of["eval mode"] - accuracy_of["their mean"]) < 0.05

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.hist(accuracy_of["members"], bins=40, color="C0", label="1,024 members")
left.axvline(accuracy_of["eval mode"], color="C1", label="eval mode")
left.axvline(accuracy_of["their mean"], color="black", linestyle="--", label="mean of the members' answers")
left.set(
    ylim=(0, 115), xlabel="test accuracy", ylabel="networks", title="The crowd knows more than its members"
)
left.legend(fontsize=8, loc="upper left")
votes = np.exp(log_probabilities[:, disputed])  # (1024, 10)
right.boxplot(votes, positions=range(10), showfliers=False, medianprops={"color": "C0"})
right.plot(eval_probabilities[disputed], "s", color="C1", label="eval mode")
right.plot(arithmetic[disputed], "k_", markersize=14, label="mean of the members")
right.set(
    xlabel="digit", ylabel="probability", title=f"A digit {labels[1500 + disputed]} on which they disagree"
)
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Where to put it
#
# Dropout goes between layers that have weights enough to learn by heart: behind the activations of wide
# hidden layers. Before or behind ReLU makes no difference, as a mask is never negative. On the input it
# erases evidence, so it is used lightly there or not at all. Behind the last layer never: it would set
# logits to zero, and no training can make up for that. And it competes with batch norm (8.3), whose
# statistics it disturbs.

# %%
z = rng.normal(size=(50, 8))
mask = dropout_forward(z, 0.5, training=True, rng=rng)[1]
np.testing.assert_array_equal(np.maximum(z * mask, 0), np.maximum(z, 0) * mask)

sure_logits = torch.zeros(1, 10, dtype=torch.float64)
sure_logits[0, 3] = 20.0  # as sure as one may be, and right
print(f"loss with all logits {F.cross_entropy(sure_logits, torch.tensor([3])):.1e}", end="   ")
print(f"with the right one dropped {F.cross_entropy(0 * sure_logits, torch.tensor([3])):.2f}")

coat = train_images[int((train_labels == 4).nonzero()[0])].numpy()  # (28, 28)
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, p in zip(axes, (0.0, 0.2, 0.5, 0.8)):
    ax.imshow(dropout_forward(coat, p, training=True, rng=rng)[0], cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=f"p = {p}")
fig.suptitle("On the input, dropout erases the evidence: little is left of a coat at p = 0.8")
plt.show()

# %% [markdown]
# ## Does it cure the illness?
#
# Four seeds; each pair of runs shares images, first weights and batches, and differs in `p` alone. Once
# with a thousand images and once with three hundred. We compare the gap between validation and training
# loss, and the accuracy on new images: the test and the validation images together, since nothing here was
# chosen by either, and a small gain needs many images to be seen. The test images alone are printed last.

# %%
new_images = torch.cat([test_images, validation[0]])  # (2000, 28, 28)
new_labels = torch.cat([test_labels, validation[1]])  # (2000,)
for n_train in (1000, 300):
    for p in (0.0, 0.5):
        for seed in range(4):
            if (n_train, p, seed) not in runs:
                runs[n_train, p, seed] = train(p, seed, n_train, watch=(n_train, seed) == (1000, 0))

table = {}
print(f"{'images, p':20s}{'train loss':>12s}{'valid. loss':>12s}{'gap':>12s}{'accuracy':>12s}")
for n_train in (1000, 300):
    for p in (0.0, 0.5):
        group = [runs[n_train, p, seed] for seed in range(4)]
        ends = np.array([history[-1] for _, _, history in group])  # (4, 2): training, validation
        accuracy = np.array([evaluate(model, new_images, new_labels)[1] for model, _, _ in group])  # (4,)
        test = np.array([evaluate(model, test_images, test_labels)[1] for model, _, _ in group])  # (4,)
        table[n_train, p] = {"train": ends[:, 0], "valid": ends[:, 1], "accuracy": accuracy, "test": test}
        means = *ends.mean(axis=0), (ends[:, 1] - ends[:, 0]).mean(), accuracy.mean()
        print(f"{f'{n_train}, {p}':20s}" + "".join(f"{value:12.3f}" for value in means))

# %% [markdown]
# With a thousand images, dropout narrows the gap on every seed and the mean accuracy rises. With three
# hundred it helps the loss as surely, and the accuracy hardly moves. Loss counts how sure the network is
# of its mistakes, and dropout makes it less sure; but it cannot invent what three hundred images do not
# show.

# %%
gap = {key: row["valid"] - row["train"] for key, row in table.items()}  # each (4,)
for n_train in (1000, 300):
    assert np.all(gap[n_train, 0.5] < 0.9 * gap[n_train, 0.0])
    assert table[n_train, 0.5]["valid"].mean() < table[n_train, 0.0]["valid"].mean() - 0.05
gained = {n: (table[n, 0.5]["accuracy"] - table[n, 0.0]["accuracy"]).mean() for n in (1000, 300)}
print(f"accuracy gained: {gained[1000]:+.3f} with 1000 images, {gained[300]:+.3f} with 300")
test_gained = {n: (table[n, 0.5]["test"] - table[n, 0.0]["test"]).mean() for n in (1000, 300)}
print(f"on the test images: {test_gained[1000]:+.3f} with 1000 images, {test_gained[300]:+.3f} with 300")
assert gained[1000] > 0.003 and abs(gained[300]) < 0.02
assert test_gained[1000] > 0 and abs(test_gained[300]) < 0.02

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for p, style, name in ((0.0, "--", "without"), (0.5, "-", "with dropout")):
    history = runs[1000, p, 0][2]
    left.plot(epochs, history[:, 1], f"C0{style}", label=f"validation, {name}")
    left.plot(epochs, history[:, 0], f"C1{style}", label=f"training, {name}")
left.set(xlabel="epoch", ylabel="loss (nats)", title="Dropout keeps the validation loss down")
left.legend(fontsize=8)
for place, n_train in enumerate((1000, 300)):
    pair = [table[n_train, p]["accuracy"] for p in (0.0, 0.5)]  # two of (4,)
    right.plot([2.5 * place, 2.5 * place + 1], pair, "o-", color="0.6", markersize=5)
    right.plot([2.5 * place, 2.5 * place + 1], np.mean(pair, axis=1), "k_", markersize=24, markeredgewidth=3)
right.set(
    xticks=[0, 1, 2.5, 3.5], xticklabels=["p = 0\n1000 images", "p = 0.5", "p = 0\n300 images", "p = 0.5"]
)
right.set(ylabel="accuracy on new images", title="On average more right with 1000, not with 300")
plt.show()

# %% [markdown]
# ## The mistake everybody makes once
#
# Forgetting `model.eval()` leaves the coins running when the network is used. Nothing crashes. The
# accuracy is a little lower, and the same image gets another answer each time. That second symptom is how
# to catch it.

# %%
model, _, _ = runs[1000, 0.5, 0]
right_mode = evaluate(model, new_images, new_labels)[1]
torch.manual_seed(0)
model.train()  # the bug: this is how training leaves it
with torch.no_grad():
    first, second = (model(new_images).argmax(dim=1) for _ in range(2))  # each (2000,)
wrong_mode = (torch.cat([first, second]) == new_labels.repeat(2)).float().mean().item()
changed = (first != second).float().mean().item()
print(
    f"accuracy in eval mode {right_mode:.3f}, with the coins running {wrong_mode:.3f}; "
    f"answers that differ between two calls: {changed:.3f}"
)
assert wrong_mode < right_mode and 0.02 < changed < 0.5

# %% [markdown]
# ## The mistake, put to use
#
# If the crowd disagrees about an image, the image is hard. *Monte-Carlo dropout* leaves the coins on, asks
# fifty times and looks at the spread. We measure it by the entropy (2.8) of the mean probabilities: zero
# where all networks are sure of the same class. If it means anything, the network must err more often
# where it is large.

# %%
torch.manual_seed(0)
with torch.no_grad():
    answers = torch.stack([model(test_images).softmax(dim=1) for _ in range(50)])  # (50, 1000, 10)
model.eval()
mean_answer = answers.mean(dim=0)  # (1000, 10)
entropy = -(mean_answer * mean_answer.clamp_min(1e-12).log()).sum(dim=1)  # (1000,) in nats
wrong = mean_answer.argmax(dim=1) != test_labels  # (1000,)
fifths = entropy.argsort().chunk(5)  # from the surest to the least sure
error_rates = [wrong[part].float().mean().item() for part in fifths]
print("error rate, from the surest fifth to the least sure:  " + "  ".join(f"{e:.3f}" for e in error_rates))
assert error_rates[0] < 0.05 and error_rates[4] > 0.3

# %%
shown = [int(entropy.argsort()[place]) for place in (50, 600, 900, 985)]
fig, axes = plt.subplots(2, 4, figsize=(10, 5.6), layout="constrained")
for (top, bottom), which in zip(axes.T, shown):
    top.imshow(test_images[which].numpy(), cmap="gray_r")
    top.set(xticks=[], yticks=[], title=f"{CLASSES[test_labels[which]]}\nentropy {entropy[which]:.2f} nats")
    bottom.boxplot(
        answers[:, which].numpy(), positions=range(10), showfliers=False, medianprops={"color": "C1"}
    )
    bottom.set_xticks(range(10), CLASSES, rotation=90, fontsize=8)
    bottom.set(ylim=(-0.02, 1.02))
axes[1, 0].set_ylabel("probability, 50 masks")
fig.suptitle("Where the masks disagree, the image is hard")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Each training step drops a random part of the units and divides the rest by the probability to stay;
#   eval mode does nothing.
# - It trains a crowd of networks that share weights. Eval mode is their exact average for logits behind
#   one mask, and an approximation in deeper networks.
# - It costs training loss and buys a smaller gap between validation and training. Too few images stay too
#   few.
# - Put it behind wide hidden layers, and call `model.eval()` before use.
#
# ## Try it
#
# Predict first, then change the number and run again.
#
# 1. Call `train(p, seed=0, n_train=1000)` with `p` of 0.2 and of 0.8. Which has the lower validation loss
#    at the end, and what happens to the training loss?
# 2. Toss one coin a unit for the whole batch (`rng.random(h.shape[-1])` in `dropout_forward`). What does
#    the check of the two promises print? Would the mean over many batches still be right?
# 3. Show the Monte-Carlo network an image turned upside down. Does the entropy notice?
#
# ## Sources
#
# - N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a simple way to
#   prevent neural networks from overfitting", *JMLR* 15, 2014.
# - X. Li, S. Chen, X. Hu, J. Yang, "Understanding the disharmony between dropout and batch normalization
#   by variance shift", CVPR 2019: why the two compete.
# - P. Baldi, P. Sadowski, "Understanding dropout", NIPS 2013: the normalised geometric mean.
# - Y. Gal, Z. Ghahramani, "Dropout as a Bayesian approximation", ICML 2016: asking with the coins on.
# - H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST*, 2017; E. Alpaydin, C. Kaynak, UCI, 1998: the data.
