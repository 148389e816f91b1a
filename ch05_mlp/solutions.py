# %% [markdown]
# # 5 Solutions: from one neuron to a trained network
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different: what counts is
# that the check says _done_.

# %%
import numpy as np

# %% [markdown]
# ## 1 A neuron with labels 0 and 1
#
# Label minus answer is $+1$ for a missed yes, $-1$ for a wrong yes and $0$ if the answer was right. So one
# formula covers all three cases. The bias is a weight whose input is always $1$.


# %%
def zero_one_perceptron(x, labels, n_epochs):
    """(weight (D,), bias, mistakes in the last pass); x: (n, D), labels: (n,) of 0 and 1."""
    weight = np.zeros(x.shape[1])
    bias = 0.0
    mistakes = 0
    for _ in range(n_epochs):
        mistakes = 0
        for features, label in zip(x, labels):
            answer = int(weight @ features + bias > 0)  # (D,) @ (D,) -> ()
            error = label - answer
            weight = weight + error * features
            bias = bias + error
            mistakes += error != 0
        if mistakes == 0:
            break
    return weight, bias, mistakes


# %% [markdown]
# ## 2 Softplus, stable
#
# For $x \ge 0$, $\ln(1 + e^x) = x + \ln(1 + e^{-x})$; for $x < 0$ the formula is safe as it stands. Both
# cases together are $\max(0, x) + \ln(1 + e^{-|x|})$, and `log1p` keeps a tiny $e^{-|x|}$ from being
# rounded away. By the chain rule the slope is $e^x / (1 + e^x)$, the sigmoid.


# %%
def softplus(x):
    """ln(1 + e^x) and its slope, two arrays like x (n,)."""
    small = np.exp(-np.abs(x))
    value = np.maximum(x, 0) + np.log1p(small)
    slope = np.where(x >= 0, 1, small) / (1 + small)
    return value, slope


# %% [markdown]
# ## 3 Repair: the logarithm of a mean
#
# The faults: `x.max()` is the largest of all rows, so a row far below it has only zeros left and gets $\ln
# 0$; a sum is not a mean; and if a whole row is $-\infty$, the difference $-\infty - (-\infty)$ is not a
# number. The remedies: each row's own maximum, `mean`, and $0$ in place of a maximum that is not finite.


# %%
def log_mean_exp(x):
    """ln of the mean of e^x along the last axis, (…, K) -> (…,); all -inf gives -inf, without a warning."""
    largest = x.max(axis=-1)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    means = np.exp(x - largest[..., None]).mean(axis=-1)  # (…, K) - (…, 1) -> (…, K) -> (…,)
    with np.errstate(divide="ignore"):  # ln 0 is -inf, and here it should be
        return largest + np.log(means)


# %% [markdown]
# ## 4 Shapes and sizes on paper
#
# Rows of a weight matrix are neurons, rows of a batch are examples, and a gradient has the shape of what
# it belongs to. Each layer has $n_\text{out} (n_\text{in} + 1)$ parameters and takes $2\, n_\text{out}\,
# n_\text{in}$ operations. Merged linear layers are one layer from 100 inputs to 5 outputs.


# %%
def shapes_and_sizes():
    """Each entry of the table on paper."""
    return {
        "shape of the second weight matrix": (20, 60),
        "shape of the first hidden output of the batch": (16, 60),
        "shape of the gradient of the last weight matrix": (5, 20),
        "parameters of the whole network": 60 * 101 + 20 * 61 + 5 * 21,
        "operations of one example's forward pass": 2 * (60 * 100 + 20 * 60 + 5 * 20),
        "parameters if all three layers were linear and merged into one": 5 * 101,
    }


# %% [markdown]
# ## 5 Cross-entropy with class weights
#
# Each example's loss and gradient are multiplied by the weight of its true class, and both are divided by
# the sum of these weights. With equal weights it is the usual mean.


# %%
def weighted_cross_entropy(logits, labels, class_weights):
    """Loss and gradient (B, K) from logits (B, K), labels (B,) and class_weights (K,)."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (B, K)
    share = class_weights[labels] / class_weights[labels].sum()  # (B,): each example's share of the mean
    grad = np.exp(log_p)
    grad[rows, labels] -= 1
    return -(share * log_p[rows, labels]).sum(), share[:, None] * grad  # (B, 1) * (B, K) -> (B, K)


# %% [markdown]
# ## 6 A network of your own
#
# The backward pass is that of lesson 5.6, with tanh's slope $1 - h^2$ in place of ReLU's. Thirty epochs at
# the rate $0.3$ are more than enough; lesson 5.2's figure shows that tanh takes a wide range of rates.


# %%
def train_tanh_network(x, y, rng):
    """(w1 (H, 64), b1 (H,), w2 (10, H), b2 (10,)) from x (1200, 64), y (1200,) of 0 to 9; H at most 40."""
    n_hidden = 32
    w1 = rng.uniform(-1, 1, size=(n_hidden, 64)) / np.sqrt(64)
    w2 = rng.uniform(-1, 1, size=(10, n_hidden)) / np.sqrt(n_hidden)
    b1 = np.zeros(n_hidden)
    b2 = np.zeros(10)
    for _ in range(30):
        order = rng.permutation(len(x))
        for batch in np.split(order, range(32, len(x), 32)):
            hidden = np.tanh(x[batch] @ w1.T + b1)  # (B, 64) @ (64, H) -> (B, H)
            logits = hidden @ w2.T + b2  # (B, H) @ (H, 10) -> (B, 10)
            exps = np.exp(logits - logits.max(axis=1, keepdims=True))
            grad_z2 = exps / exps.sum(axis=1, keepdims=True)
            grad_z2[np.arange(len(batch)), y[batch]] -= 1
            grad_z2 = grad_z2 / len(batch)
            grad_z1 = (grad_z2 @ w2) * (1 - hidden**2)  # (B, 10) @ (10, H) -> (B, H)
            w2 = w2 - 0.3 * grad_z2.T @ hidden  # (10, B) @ (B, H) -> (10, H)
            b2 = b2 - 0.3 * grad_z2.sum(axis=0)
            w1 = w1 - 0.3 * grad_z1.T @ x[batch]  # (H, B) @ (B, 64) -> (H, 64)
            b1 = b1 - 0.3 * grad_z1.sum(axis=0)
    return w1, b1, w2, b2


# %% [markdown]
# ## 7 Which network can draw this boundary?
#
# A neuron's boundary is a line, and linear layers remain one. Two ReLUs make an absolute value, which is
# enough for XOR, with $\frac12 - |x_1 + x_2 - 1|$, and for a stripe. For a bounded region, two are too
# few. If their weight vectors are parallel, the output does not change along the line at a right angle to
# them. If they are not, there is a direction in which both stay off, so the output bias must not be
# positive, and one for each neuron in which it alone grows, so neither output weight may be positive. Then
# the output is positive nowhere. With three, $c - \sum_i \max(0, s_i)$ is positive only near the triangle
# inside of which all $s_i$ are negative. A circle is not made of straight pieces.


# %%
def who_can():
    """True or False for each network and task."""
    return {
        "one neuron: yes on one side of a given line": True,
        "three linear layers of 50 neurons: XOR": False,
        "2 hidden neurons: XOR": True,
        "2 hidden neurons: yes inside a stripe between two parallel lines": True,
        "2 hidden neurons: yes in some bounded region, and nowhere else": False,
        "3 hidden neurons: yes in some bounded region, and nowhere else": True,
        "1000 hidden neurons: yes inside a circle, exactly": False,
    }


# %% [markdown]
# ## 8 A loss for waiting times
#
# $-\ln(\lambda e^{-\lambda t}) = \lambda t - \ln \lambda = e^z t - z$. Its slope along $z$ is $e^z t - 1$:
# the waiting time in units of its expected value, minus one. It is zero if the time is exactly what was
# expected.


# %%
def waiting_time_loss(log_rates, times):
    """Mean NLL (nats) of times (n,) under the rates exp(log_rates), and its gradient at log_rates (n,)."""
    expected_units = np.exp(log_rates) * times  # (n,): waiting times in units of their means
    return np.mean(expected_units - log_rates), (expected_units - 1) / len(times)


# %% [markdown]
# ## 9 Four confusion matrices
#
# Accuracy is the diagonal over the sum, and with two thirds of cats it is mostly about cats. Mean recall
# treats the classes alike, and there D leads, although it is wrong about every fourth cat. Its price is in
# the columns: 41 of its 96 dog answers are wrong. B is the network that has learned only which class is
# most common.


# %%
def read_the_tables():
    """The name of a network, "A" to "D", for each question."""
    return {
        "always gives the same answer": "B",
        "never answers fox, but tells cats from dogs": "C",
        "has the highest accuracy": "A",
        "has the highest mean recall over the three classes": "D",
        "is wrong in more than a third of its dog answers": "D",
        "reaches exactly the accuracy of always naming the most common class": "B",
    }
