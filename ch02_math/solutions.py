# %% [markdown]
# # 2 Solutions: shapes, slopes, steps and samples
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different; what counts is
# that the check says _done_.

# %%
import numpy as np

# %% [markdown]
# ## 1 Seven numbers on paper
#
# The second row $(3, 4)$ meets the first column $(0, 5)$, so the entry is $3 \cdot 0 + 4 \cdot 5$. The
# dot product $3 + 28 = 31$ over the length $5$ is the projection. The error is $1 \cdot 3 - 2 - 2 = -1$,
# and $2ex = -6$. The factor is $1 - \eta\lambda = 1 - 1.5$, so each step jumps to the other side and
# halves the distance. The matrix sends $(1, -1)$ to $(-1, 1)$. Of 1000 people 9 are sick with an alarm
# and 99 healthy with one, so $9 / 108$. And $12 / \sqrt 9 = 4$.


# %%
def on_paper():
    """The seven numbers, by name."""
    return {
        "entry": 20,
        "projection": 6.2,
        "slope": -6,
        "factor": -0.5,
        "eigenvalue": -1,
        "posterior": 9 / 108,
        "error": 4,
    }


# %% [markdown]
# ## 2 Which shape?
#
# In a product the last axis of the first must be as long as the last but one of the second (or the only
# one). In all other operations shapes are lined up at the right. $(2, 3)$ and $(2,)$ do not fit, and
# neither do $(6, 4)$ and $(6,)$, which is why `keepdims` exists. $(10,)$ and $(10, 1)$ fit, and give the
# trap of lesson 2.2.


# %%
def shapes():
    """Expression -> the shape of its result, a tuple, or "error"."""
    return {
        "(5, 3) @ (3,)": (5,),
        "(3,) @ (5, 3)": "error",
        "(7, 5, 3) @ (3, 2)": (7, 5, 2),
        "(4, 1) + (3,)": (4, 3),
        "(2, 3) + (2,)": "error",
        "(10,) - (10, 1)": (10, 10),
        "(7, 5, 3).mean(axis=1)": (7, 3),
        "(6, 4) - its mean(axis=1)": "error",
        "(6, 4) - its mean(axis=1, keepdims=True)": (6, 4),
        "einsum bij,bj->bi of (7, 5, 3) and (7, 3)": (7, 5),
    }


# %% [markdown]
# ## 3 Puzzles without loops
#
# An axis of length one makes every entry meet every other. Row $i$ of `np.tri(n)` has ones up to the
# place $i$, so its dot product with x is the running sum. For the distances every point meets every
# other, and the last axis, the two coordinates, is summed.


# %%
def puzzles(x, y, points):
    """The three results, by name, from x (n,), y (m,) and points (p, 2)."""
    differences = points[:, None] - points  # (p, 1, 2) - (p, 2) -> (p, p, 2)
    return {
        "outer": x[:, None] * y,  # (n, 1) * (m,) -> (n, m)
        "running sums": np.tri(len(x)) @ x,  # (n, n) @ (n,) -> (n,)
        "distances": np.sqrt((differences**2).sum(axis=-1)),  # (p, p, 2) -> (p, p)
    }


# %% [markdown]
# ## 4 Five derivatives
#
# Power rule; product rule; chain rule with $u = 1 + x^2$; quotient rule, and the chain rule in its
# numerator; chain rule with the derivative $1 - \tanh^2$.


# %%
def derivatives(x):
    """Function -> its derivative at x (n,), an array (n,)."""
    return {
        "x³ − 2x": 3 * x**2 - 2,
        "x² exp(x)": 2 * x * np.exp(x) + x**2 * np.exp(x),
        "log(1 + x²)": 2 * x / (1 + x**2),
        "sin(3x) / x": (3 * np.cos(3 * x) * x - np.sin(3 * x)) / x**2,
        "tanh(x)²": 2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
    }


# %% [markdown]
# ## 5 A measured gradient that is broken
#
# The second step went back to the starting point only, so the difference spanned $h$ and was divided by
# $2h$. `zeros_like` made whole numbers of the slopes, `x[i]` is a whole row of a table, and everything
# was written into the caller's array. Here x is copied into an array of floats, and every entry is moved
# by itself, up, down and back.


# %%
def repaired_gradient(f, x, h=1e-5):
    """Gradient of f at x by central differences, floats of the shape of x; x: an array of any shape."""
    x = np.array(x, dtype=float)
    slopes = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + h
        up = f(x)
        x[place] = kept - h
        down = f(x)
        x[place] = kept
        slopes[place] = (up - down) / (2 * h)
    return slopes


# %% [markdown]
# ## 6 Descent that chooses its own rate
#
# The gradient is looked at before each step, so a start at the bottom takes none. The inner loop halves
# the rate until the loss falls; for a short enough step against the gradient it must. The rate stays
# halved, because the curvature that made it necessary is still there.


# %%
def careful_descent(f, gradient, start, learning_rate, tolerance=1e-6, max_steps=10_000):
    """(point, n_steps): descent on f from `start` (n,), with a rate that is halved if f would not fall."""
    point = np.array(start, dtype=float)
    for n_steps in range(max_steps + 1):
        slope = gradient(point)
        if np.linalg.norm(slope) < tolerance:
            return point, n_steps
        while f(point - learning_rate * slope) >= f(point):
            learning_rate /= 2
        point = point - learning_rate * slope
    raise ValueError(f"{max_steps} steps do not suffice")


# %% [markdown]
# ## 7 The loss map of a line of your own
#
# Each b meets each w and each object: three axes, in this order, of which the last is averaged away.


# %%
def loss_map(x, y, ws, bs):
    """heights (len(bs), len(ws)): the mean squared error on x, y (n,) of each line."""
    errors = ws[:, None] * x + bs[:, None, None] - y  # (n_w, 1) * (n,), (n_b, 1, 1), (n,) -> (n_b, n_w, n)
    return (errors**2).mean(axis=-1)  # (n_b, n_w, n) -> (n_b, n_w)


# %% [markdown]
# ## 8 A walk on a budget
#
# The best compromise is $\eta = 2 / (\lambda_{\min} + \lambda_{\max}) = 2 / 51$, at which both factors
# have the size $49 / 51$. Its power falls below $0.01$ after $\log 0.01 / \log(49/51) \approx 115.1$
# steps.


# %%
def walk_on_a_budget():
    """The learning rate and the number of steps."""
    return {"learning rate": 2 / 51, "steps": 116}


# %% [markdown]
# ## 9 An interval for a mean
#
# The sample stands for all birds that could have been caught, and drawing from it with repeats imitates
# catching again. The spread of the means is then close to $\sigma / \sqrt n$, without any formula, and
# the same recipe works for a median or a correlation.


# %%
def bootstrap_interval(values, level, n_draws, rng):
    """(low, high): the middle share `level` of the means of n_draws samples from values (n,)."""
    samples = rng.choice(values, size=(n_draws, len(values)))  # (n_draws, n), with repeats
    means = samples.mean(axis=1)  # (n_draws,)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return low, high
