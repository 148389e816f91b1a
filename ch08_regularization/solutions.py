# %% [markdown]
# # 8 Solutions: dropout, decay, norms and the art of stopping
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different, and if the
# check says that it is done, it is right.

# %%
import numpy as np

# %% [markdown]
# ## 1 Dropout, there and back
#
# The output is the input times a mask that holds 0 or $1/(1-p)$, so the gradient is multiplied by the same
# mask: what did not reach the output gets no gradient, and what was scaled up has its slope scaled up. For
# $p = 1$ nothing is kept, and the scale is never needed.


# %%
def dropout_both_ways(x, grad_y, u, p, training):
    """(y, dL/dx), both of x's shape, from x, dL/dy and the random numbers u, all of the same shape."""
    if not training:
        return x, grad_y
    if p == 1:
        return x * 0.0, grad_y * 0.0
    mask = (u >= p) / (1 - p)
    return x * mask, grad_y * mask


# %% [markdown]
# ## 2 Two places for a penalty
#
# The gradient of $\frac\lambda2 w^2$ is $\lambda w$. Inside `g` it goes through Adam's division: a weight
# with large gradients has a large $\sqrt v$, and its penalty is divided by that, too. Decoupled, every
# weight shrinks by the same factor, whatever its gradients were.


# %%
def adam_step(w, g, m, v, t, rate, decay, decoupled, betas=(0.9, 0.999), eps=1e-8):
    """The new (w, m, v), each of w's shape, after step number t = 1, 2, ..."""
    if decoupled:
        w = (1 - rate * decay) * w
    else:
        g = g + decay * w
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    direction = (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w - rate * direction, m, v


# %% [markdown]
# ## 3 What batch norm remembers
#
# PyTorch's `momentum` is the share of the _new_ value, the other way round than the momentum of an
# optimizer. The batch itself is normalized by the variance that divides by $n$; what is remembered for
# evaluation is the unbiased one, and with $n = 1$ that is zero divided by zero. One such batch would make
# the running variance NaN, and an average with NaN in it stays NaN.


# %%
def running_statistics(batches, momentum=0.1):
    """The running (mean (C,), variance (C,)) after the batches, a list of arrays (B, C) with any B > 1."""
    mean, variance = 0.0, 1.0
    for batch in batches:
        if len(batch) < 2:
            raise ValueError(f"a batch of {len(batch)} has no unbiased variance")
        mean = mean + momentum * (batch.mean(axis=0) - mean)
        variance = variance + momentum * (batch.var(axis=0, ddof=1) - variance)
    return mean, variance


# %% [markdown]
# ## 4 Layer norm where sentences differ in length
#
# The norm itself needs no mask, because each place is normalized over its own features and never sees the
# padding. The mean over places does: the padded places are multiplied by zero before the sum, and the sum
# is divided by the sentence's own length. The greatest of that length and one leaves a sentence without a
# word at zero.


# %%
def norm_and_pool(x, lengths, gain, shift, eps=1e-5):
    """The mean (B, D) over each sentence's places of the layer norm of x (B, T, D); lengths: (B,), 0 to T."""
    deviation = x - x.mean(axis=-1, keepdims=True)  # (B, T, D)
    variance = (deviation**2).mean(axis=-1, keepdims=True)  # (B, T, 1)
    y = gain * deviation / np.sqrt(variance + eps) + shift  # (B, T, D)
    real = np.arange(x.shape[1]) < lengths[:, None]  # (B, T)
    return (y * real[:, :, None]).sum(axis=1) / np.maximum(lengths, 1)[:, None]  # (B, D)


# %% [markdown]
# ## 5 Stop in time
#
# A comparison with NaN is always false, so `loss < lowest` is right for it without a line of its own. The
# weights are copied when they are the best and copied _back into_ the model's own arrays in the end.


# %%
def train_until_it_stops(model, patience, most):
    """(best epoch, last epoch), with `model.weights` as they were after the best epoch."""
    lowest, best = float("inf"), 0
    kept = {name: weight.copy() for name, weight in model.weights.items()}
    last = 0
    bad_epochs = 0
    while last < most and bad_epochs < patience:
        model.train_epoch()
        last += 1
        loss = model.validate()
        if loss < lowest:
            lowest, best = loss, last
            kept = {name: weight.copy() for name, weight in model.weights.items()}
            bad_epochs = 0
        else:
            bad_epochs += 1
    for name, weight in model.weights.items():
        weight[...] = kept[name]
    return best, last


# %% [markdown]
# ## 6 Mixed images, mixed labels
#
# There is one share for each image, so it needs as many axes of length one behind it as an image has axes;
# otherwise NumPy would line it up with the columns of the pixels. The labels are mixed in the same shares,
# and the cross-entropy with them is the mean of the two cross-entropies with the two labels.


# %%
def mixup(x, labels, n_classes, shares, partners):
    """(images like x, soft labels (B, n_classes)) from x (B, …), labels, shares and partners, all (B,)."""
    one_hot = np.eye(n_classes)[labels]  # (B, K)
    wide = shares.reshape(-1, *[1] * (x.ndim - 1))  # (B, 1, …)
    images = wide * x + (1 - wide) * x[partners]
    return images, shares[:, None] * one_hot + (1 - shares)[:, None] * one_hot[partners]


def soft_cross_entropy(logits, targets):
    """Mean cross-entropy (nats) of logits (B, K) with soft labels targets (B, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(targets * log_p).sum(axis=1).mean()


# %% [markdown]
# ## 7 Five runs, five remedies
#
# A: both curves are high, flat and close together, so the network is held back: less decay. B: the weights
# move slowly, and the validation loss still jumps, because dropout draws new masks at every look: call
# `eval()`. C: the training loss is next to nothing while the validation loss rises: regularize (more
# images, dropout, decay, an earlier stop). D: the training loss lies above the validation loss and jumps,
# because dropout is active while it is taken. That is how it should be. E: both curves still fall at the
# end: train longer.


# %%
def remedies():
    """For each run a name from REMEDIES."""
    return {
        "A": "regularize less",
        "B": "call eval()",
        "C": "regularize",
        "D": "leave it",
        "E": "train longer",
    }


# %% [markdown]
# ## 8 Choose, then test once
#
# The mean over the seeds on validation images chooses, and the test accuracy of that choice is the one
# number to report. The strength with the best test accuracy is another one here, and reporting that would
# be a choice by the test set. A best value at an edge says that a better one may lie beyond it.


# %%
def choose_and_report(strengths, validation, test):
    """(the strength, its mean test accuracy, True if it is at an edge of strengths).

    strengths: K numbers from weak to strong; validation, test: accuracies (K, S) of K strengths, S seeds.
    """
    best = int(validation.mean(axis=1).argmax())
    return strengths[best], test[best].mean(), best in (0, len(strengths) - 1)
