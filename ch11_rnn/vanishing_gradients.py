# %% [markdown]
# # 11.3 Vanishing gradients: why an RNN forgets what happened long ago
#
# Whisper a message along a row of people. If each passes on nine tenths of it, little arrives at the
# fiftieth. If each adds a tenth of their own, it ends in shouting. In a recurrent network blame travels
# back through such a row, and the same matrix sits at every place.
#
# **You will build** a gauge for the gradient that arrives from far back, a cliff to fall off, and a memory
# task that a plain RNN with default weights learns at short distances only. **You need** BPTT and clipping
# (11.2), eigenvalues (2.4) and the growth of signals in deep networks (6.5).

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# One linear unit, $h_t = w\,h_{t-1} + x_t$. One step back costs a factor $w$, and $k$ steps cost $w^k$.
# For $w = 0.9$ and fifty steps that is $e^{50 \ln 0.9} \approx e^{-5.3} \approx 0.005$. For $w = 1.1$ it
# is about $117$. On a logarithmic axis both are straight lines, with slope $\ln w$ per step.

# %%
for w in (0.9, 1.0, 1.1):
    print(f"w = {w:.1f}   blame from fifty steps back {w**50:.4f}")
np.testing.assert_allclose([0.9**50, 1.1**50], [0.005, 117], rtol=0.05)

# %% [markdown]
# ## A gauge: how much blame arrives?
#
# With many units the factor is a matrix. From $h_t = \tanh(W h_{t-1} + \dots)$ one step is $D_t W$, where
# $D_t$ holds tanh's slopes $1 - h_t^2$ on its diagonal, and a *lag* of $k$ steps is the product
#
# $$\frac{\partial h_T}{\partial h_{T-k}} = D_T W\, D_{T-1} W \cdots D_{T-k+1} W .$$
#
# Its *Frobenius norm*, the length of the list of all its numbers, tells how much gets through. A linear
# network has slopes of one.


# %%
def lag_norms(weight, slopes):
    """log of the Frobenius norm of d h_T / d h_{T-k} for k = 1, ..., T.

    weight: (H, H), slopes: (T, H), the derivative of the nonlinearity at each step, the last step last.
    Raises ValueError where they do not fit.
    """
    if weight.shape != (slopes.shape[1], slopes.shape[1]):
        raise ValueError(f"weight {weight.shape} and slopes {slopes.shape}")
    jacobian, log_scale, result = np.eye(len(weight)), 0.0, []
    for slope in slopes[::-1]:
        jacobian = (jacobian * slope) @ weight  # (H, H) @ (H, H) -> (H, H)
        norm = np.linalg.norm(jacobian)
        jacobian, log_scale = jacobian / norm, log_scale + np.log(norm)  # so that nothing over- or underflows
        result.append(log_scale)
    return np.array(result)


# %% [markdown]
# ## Linear: the slope is the spectral radius
#
# An *orthogonal* matrix $Q$ turns vectors and keeps their length. Then $\rho Q$ multiplies every length by
# $\rho$ at each step, and the slope is $\ln \rho$, up to rounding. For a *Gaussian* matrix, one of normal
# random numbers, $\rho$ is the largest absolute eigenvalue, the *spectral radius*. (A matrix that turns as
# it stretches has complex eigenvalues; the absolute value is the stretch.) It wins after a while, because
# what it multiplies outgrows all the rest.

# %%
n_hidden, n_lags = 32, 100
orthogonal = np.linalg.qr(rng.normal(size=(n_hidden, n_hidden)))[0]  # (H, H)
gaussian = rng.normal(size=(n_hidden, n_hidden))
gaussian /= abs(np.linalg.eigvals(gaussian)).max()  # spectral radius one
ones = np.ones((n_lags, n_hidden))
linear = {}
print(f"{'weights':20s}{'radius':>12s}{'log radius':>12s}{'slope':>12s}")
for name, weight in (("orthogonal", orthogonal), ("Gaussian", gaussian)):
    for radius in (0.9, 1.1):
        logs = linear[name, radius] = lag_norms(radius * weight, ones)
        slope = (logs[99] - logs[19]) / 80  # lags 20 to 100
        print(f"{name:20s}{radius:12.1f}{np.log(radius):12.4f}{slope:12.4f}")
        assert abs(slope - np.log(radius)) < (1e-9 if name == "orthogonal" else 0.05)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
lags = np.arange(1, n_lags + 1)
for radius in (0.9, 1.1):
    label = "slope predicted" if radius == 0.9 else None
    ax.plot(lags, np.sqrt(n_hidden) * radius**lags, color="0.8", linewidth=5, zorder=0, label=label)
for (name, radius), logs in linear.items():
    style = {"orthogonal": "-", "Gaussian": "--"}[name]
    ax.plot(lags, np.exp(logs), style, label=f"{name}, radius {radius}")
ax.set_yscale("log")
ax.set(
    xlabel="lag (steps)",
    ylabel="norm of the gradient",
    title="Blame fades or grows at the rate of the radius",
)
ax.legend()
plt.show()

# %% [markdown]
# ## What bounds it? Not the radius
#
# No product of $k$ steps can exceed $\sigma_{\max}^k$, where the *largest singular value* $\sigma_{\max}$
# is the most that $W$ can stretch any vector. The spectral radius is no such bound. The matrix below has
# both eigenvalues at one half, and yet its first steps stretch a great deal.

# %%
shear = np.array([[0.5, 10.0], [0.0, 0.5]])
radius = abs(np.linalg.eigvals(shear)).max()
stretches = [np.linalg.norm(np.linalg.matrix_power(shear, k), 2) for k in range(1, 13)]
print(f"spectral radius {radius}   largest stretch in k steps: {np.round(stretches, 2)}")
assert np.isclose(radius, 0.5) and stretches[1] > 5 and stretches[-1] < 0.1

# %% [markdown]
# ## With tanh: saturation makes it worse
#
# The slopes $1 - h^2$ are at most one, so tanh can only weaken what arrives. Far from zero they are almost
# nothing: the unit is saturated (5.2). We run an RNN on inputs of growing size and read the gauge. Its
# weights are orthogonal, so the bound is flat.


# %%
def tanh_slopes(weight, inputs):
    """Slopes 1 - h² at each step of h = tanh(weight h + input), from h = 0; inputs: (T, H) -> (T, H)."""
    h, slopes = np.zeros(len(weight)), []
    for z in inputs:
        h = np.tanh(weight @ h + z)  # (H, H) @ (H,) -> (H,)
        slopes.append(1 - h * h)
    return np.array(slopes)


noise = rng.normal(size=(n_lags, n_hidden))
# k steps stretch a direction by at most σ_max to the power k, and the norm adds up H directions
bound = lags * np.log(np.linalg.norm(orthogonal, 2)) + np.log(n_hidden) / 2  # (T,)
saturation = {}
print(f"{'size of inputs':20s}{'mean slope':>12s}{'log at 20':>12s}")
for size in (0.1, 0.5, 2.0):
    slopes = tanh_slopes(orthogonal, size * noise)
    saturation[size] = lag_norms(orthogonal, slopes)
    print(f"{size:<20.1f}{slopes.mean():12.3f}{saturation[size][19]:12.2f}")
    assert (saturation[size] <= bound + 1e-12).all()
assert saturation[0.1][19] > saturation[0.5][19] > saturation[2.0][19]

# %% [markdown]
# ## Where it starts matters
#
# PyTorch draws recurrent weights evenly between $\pm 1/\sqrt{H}$. Their radius is near $1/\sqrt 3$, so
# blame fades from the first step on. Orthogonal weights start at radius one. With small inputs tanh is
# almost linear, and much more gets through.

# %%
default = rng.uniform(-1, 1, size=(n_hidden, n_hidden)) / np.sqrt(n_hidden)
default_radius = abs(np.linalg.eigvals(default)).max()
print(f"radius of the default weights {default_radius:.2f}, 1/sqrt(3) = {3**-0.5:.2f}")
assert 0.4 < default_radius < 0.8
default_logs = lag_norms(default, tanh_slopes(default, 0.1 * noise))
print(f"log of the norm at lag 20: default {default_logs[19]:.1f}, orthogonal {saturation[0.1][19]:.1f}")
assert default_logs[19] < saturation[0.1][19] - 3

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (size, logs), style in zip(saturation.items(), ("-", "--", "-.")):
    left.plot(lags, logs / np.log(10), style, label=f"inputs of size {size}")
left.plot(lags, bound / np.log(10), color="0.7", linewidth=0.8, zorder=0, label="bound")
left.set(xlabel="lag (steps)", ylabel="log10 of the gradient's norm", title="Saturated units block the blame")
right.plot(lags, saturation[0.1] / np.log(10), label="orthogonal")
right.plot(lags, default_logs / np.log(10), "--", label="default")
right.set(xlabel="lag (steps)", ylabel="log10 of the gradient's norm")
right.set_title("Default weights let less blame through")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# ## The cliff
#
# The other ailment is a gradient that explodes. One unit, $n$ steps of $h \leftarrow \tanh(wh + b)$, and a
# loss that wants the last state at $-0.5$. At a certain $b$ the state tips from one side to the other.
# There the loss is a wall, and the slope on it throws a step of gradient descent far away. Clipping (11.2)
# keeps the direction and shortens the step.


# %%
def cliff(b, w=2.0, n_steps=20):
    """Loss (h_n + 0.5)² from h_0 = 0.5, and its slope along b, carried forward with the state."""
    h, slope = 0.5 + 0 * b, 0 * b
    for _ in range(n_steps):
        h, before = np.tanh(w * h + b), slope
        slope = (1 - h * h) * (w * before + 1)
    return (h + 0.5) ** 2, 2 * (h + 0.5) * slope


b = np.linspace(-0.7, -0.3, 20_001)
loss, slope = cliff(b)
steepest = slope.argmax()
nudge = 1e-8
rise = (cliff(b[steepest] + nudge)[0] - cliff(b[steepest] - nudge)[0]) / (2 * nudge)
step, clipped = 0.1 * slope[steepest], 0.1 * min(1.0, slope[steepest])
print(f"steepest slope {slope[steepest]:.3g}   median {np.median(abs(slope)):.3g}")
print(f"one step from there: {step:.3g}, clipped {clipped:.3g}")
np.testing.assert_allclose(slope[steepest], rise, rtol=1e-3)
assert step > 10 and np.isclose(clipped, 0.1)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(b, loss, color="C1")
left.set(xlabel="bias b", ylabel="loss", title="The loss has a wall")
right.plot(b, abs(slope), color="C1")
right.set_yscale("log")
right.set(xlabel="bias b", ylabel="size of the slope", title="On the wall the slope explodes")
for ax in (left, right):
    ax.set_xticks((-0.7, -0.6, -0.5, -0.4, -0.3))
plt.show()

# %% [markdown]
# Clipping cures explosion only. It multiplies the whole gradient by one number, so the share that comes
# from long ago stays as small as it was. Nor would a larger learning rate help: it enlarges the near
# share as much as the far one.

# %%
by_lag = np.exp(default_logs)  # the blame that each lag contributes
factor = min(1.0, 0.01 / by_lag.sum())
shares = [
    part.sum() / whole.sum()
    for whole, part in ((by_lag, by_lag[10:]), (factor * by_lag, factor * by_lag[10:]))
]
print(f"share of the lags beyond ten: {shares[0]:.2e}, after clipping {shares[1]:.2e}")
assert factor < 1 and np.isclose(*shares) and shares[0] < 0.01

# %% [markdown]
# ## The latch: what training makes of it
#
# Bengio and colleagues asked for one bit, caught and held: a *latch*. The first input is $+1$ or $-1$,
# noise follows, and at the end the network must say which it was. We train several networks at once: all
# arrays have an axis of networks in front, each network has its own gradient, and its own norm is
# clipped.


# %%
def latch(weight_hh, lag, n_steps, rng, batch_size=32, noise=0.5, learning_rate=0.003):
    """Accuracy at each step of N networks naming a sign `lag` steps later.

    weight_hh: (N, H, H), the recurrent weights to start from, (n_in, n_out) for h @ weight_hh, since batched
    products come that way; returns (n_steps, N).
    """
    n, n_hidden = weight_hh.shape[:2]
    limit = n_hidden**-0.5
    shapes = (n, 1, n_hidden), (n, 1, n_hidden), (n, n_hidden, 1), (n, 1, 1)
    arrays = [weight_hh, *(rng.uniform(-limit, limit, size=shape) for shape in shapes)]
    parameters = [torch.tensor(array, dtype=torch.float32, requires_grad=True) for array in arrays]
    recurrent, weight_in, bias, weight_out, bias_out = parameters
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    accuracies = []
    for _ in range(n_steps):
        x = torch.tensor(rng.normal(scale=noise, size=(lag + 1, n, batch_size, 1)), dtype=torch.float32)
        x[0] = sign = torch.tensor(rng.choice((-1.0, 1.0), size=(n, batch_size, 1)), dtype=torch.float32)
        z = x @ weight_in + bias  # (T, N, B, 1) @ (N, 1, H) -> (T, N, B, H)
        first, *rest = z.unbind(0)  # T of (N, B, H): one gradient for all, where z[t] would make T
        h = torch.tanh(first)
        for step in rest:
            h = torch.tanh(torch.baddbmm(step, h, recurrent))  # (N, B, H) @ (N, H, H) -> (N, B, H)
        margin = sign * torch.baddbmm(bias_out, h, weight_out)  # (N, B, H) @ (N, H, 1) -> (N, B, 1)
        # softplus(-margin) is the cross-entropy of a yes or no (3.2); a sum, so that networks do not mix
        loss = torch.nn.functional.softplus(-margin).mean(dim=(1, 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        norm = sum(p.grad.square().sum(dim=(1, 2), keepdim=True) for p in parameters).sqrt()  # (N, 1, 1)
        for p in parameters:
            p.grad *= (1 / (norm + 1e-6)).clamp(max=1)
        optimizer.step()
        accuracies.append((margin > 0).float().mean(dim=(1, 2)))
    return torch.stack(accuracies).numpy()  # n_steps of (N,) -> (n_steps, N)


# %% [markdown]
# Five networks start from default weights, five of the same width from orthogonal ones. One has learned
# the task when it is right more than nineteen times in twenty over the last steps. The same starts serve
# every lag, each time with fresh noise, so a default start may get through at a long one by luck.

# %%
n_seeds, latch_lags = 5, (5, 10, 40, 100)
limit = n_hidden**-0.5
started = [rng.uniform(-limit, limit, size=(n_hidden, n_hidden)) for _ in range(n_seeds)]
started += [np.linalg.qr(rng.normal(size=(n_hidden, n_hidden)))[0] for _ in range(n_seeds)]
final, learned = {}, {}
print(f"{'lag':20s}{'default':>12s}{'orthogonal':>12s}   networks of {n_seeds} that learned it")
for lag in latch_lags:
    final[lag] = latch(np.stack(started), lag, 400, rng)[-50:].mean(axis=0)  # (10,)
    learned[lag] = tuple(int((part > 0.95).sum()) for part in np.split(final[lag], 2))
    print(f"{lag:<20d}{learned[lag][0]:12d}{learned[lag][1]:12d}")
assert learned[5][0] == learned[10][0] == n_seeds
for lag in (40, 100):
    assert learned[lag][0] <= 2 < 4 <= learned[lag][1]

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, part, marker, shift in (("default", np.s_[:5], "o", 0.96), ("orthogonal", np.s_[5:], "^", 1.04)):
    for lag in latch_lags:
        label = name if lag == latch_lags[0] else None
        color = {"default": "C0", "orthogonal": "C1"}[name]
        ax.plot([lag * shift] * n_seeds, final[lag][part], marker, color=color, fillstyle="none", label=label)
ax.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
ax.set_xscale("log")
ax.set_xticks(latch_lags, latch_lags)
ax.minorticks_off()
ax.set(xlabel="lag (steps)", ylabel="accuracy", title="At long lags, default weights mostly lose the bit")
ax.legend(loc="center left")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Blame from $k$ steps back is a product of $k$ matrices. It fades or grows at the rate $\ln\rho$ per
#   step in a linear network, and with tanh no direction ever grows by more than $\sigma_{\max}$ a step.
# - Explosion is loud and clipping cures it. Vanishing is silent: the loss falls on what is near, and
#   nothing tells you that the far past was never learned.
# - Orthogonal weights start with a memory. Training and saturation may spend it.
# - A lasting cure changes the path itself, so that the factor is near one by design: lesson 11.4.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Scale the orthogonal starts by 0.9 or by 1.2. Which lags does the latch still learn?
# 2. Replace tanh by ReLU in `tanh_slopes`. What happens to the slopes, and what to the bound?
# 3. Train five times as long. Do more of the default starts find the bit at a lag of 40?
#
# ## Sources
#
# - Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is
#   difficult", *IEEE Trans. Neural Networks* 5, 1994: the latch.
# - R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", *ICML*
#   2013: the bound, the cliff, clipping.
# - A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in
#   deep linear neural networks", *ICLR* 2014: orthogonal initialization.
