# %% [markdown]
# # 2.3 Derivatives: the slope under a magnifying glass
#
# From your garden the earth looks flat, because you see so little of it. Curves are like that: look
# closely enough and a curve becomes a straight line, and a straight line has one slope. That slope tells
# how strongly the output answers when the input is nudged, and training a network is nothing but nudging
# numbers in the right direction.
#
# **You will build** a way to measure slopes and its two errors, the rules that make measuring
# unnecessary, and a number that carries its own slope along. **You need** nothing but Python functions
# and NumPy arrays.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# How steep is $f(x) = x^2$ at $x = 3$? Take a step $h$ to the right. The height changes by
# $(3 + h)^2 - 9 = 6h + h^2$. Divide by the step, and the slope is $6 + h$. The smaller the step, the
# closer to $6$: that number is the *derivative*, $f'(3) = 6$.

# %%
print(f"{'step h':20s}{'rise / step':>12s}")
for h in (1, 0.5, 0.25, 0.125):  # halves are exact in binary
    slope = ((3 + h) ** 2 - 3**2) / h
    print(f"{h:<20}{slope:12.3f}")
    assert slope == 6 + h

# %% [markdown]
# ## The magnifying glass
#
# We look at $\sin x$ near $x = 0.5$ through windows of shrinking width, with the straight line of slope
# $\cos 0.5$ on top. Ten times closer, the gap between curve and line is a hundred times smaller: in the
# window it shrinks tenfold. Only a corner stays a corner. $|x|$ has no derivative at zero.

# %%
place, slope = 0.5, math.cos(0.5)
gaps = []
for half_width in (1.0, 0.1, 0.01):
    x = np.linspace(place - half_width, place + half_width, 201)  # (201,)
    line = math.sin(place) + slope * (x - place)  # (201,)
    gaps.append(np.abs(np.sin(x) - line).max())
    print(f"window ±{half_width:<8}largest gap {gaps[-1]:.1e}, {gaps[-1] / half_width:.2%} of the window")
assert 50 < gaps[0] / gaps[1] < 200 and 50 < gaps[1] / gaps[2] < 200

# %%
fig, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
for ax, half_width in zip(axes, (1.5, 0.5, 0.1)):
    x = np.linspace(place - half_width, place + half_width, 201)  # (201,)
    ax.plot(x, np.sin(x), label="sin x")
    ax.plot(x, math.sin(place) + slope * (x - place), "--", color="C1", label="straight line")
    ax.set(xlabel="x", title=f"sin x, window ±{half_width}")
x = np.linspace(-0.1, 0.1, 201)  # (201,)
axes[3].plot(x, np.abs(x))
axes[3].set(xlabel="x", title="|x|, window ±0.1")
axes[0].legend()
fig.suptitle("Under the glass a smooth curve is straight; a corner stays a corner")
plt.show()

# %% [markdown]
# ## A slope is a sensitivity
#
# A car at speed $v$ that brakes with $7\ \mathrm{m/s^2}$ stops after $d = v^2 / 14$ metres. The
# derivative $v / 7$ says what one more metre per second costs. At twice the speed the distance is four
# times as long, and every further bit of speed costs twice as much.
#
# To measure a slope from both sides is better than from one, as we shall see:
#
# $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h} .$$


# %%
def central_difference(f, x, h=1e-5):
    """Slope of f at x, measured from both sides; x: a number or an array, f: element by element."""
    return (f(x + h) - f(x - h)) / (2 * h)


print(f"{'speed (m/s)':>12s}{'distance (m)':>14s}{'metres for 1 m/s more':>24s}")
for v in (10.0, 20.0, 40.0):
    cost = central_difference(lambda v: v * v / 14, v)
    print(f"{v:12.0f}{v * v / 14:14.1f}{cost:24.2f}")
    assert abs(cost - v / 7) < 1e-6

# %% [markdown]
# ## A slope points uphill
#
# Where the derivative is positive, uphill is to the right; where it is negative, to the left; where it is
# zero, the ground is level. So the sign is a direction, and following it makes $f$ grow. We try both
# neighbours at many places and ask which is higher.


# %%
def hills(x):
    """The height of a hilly landscape at x, a number or an array."""
    return np.sin(x) + 0.3 * np.sin(3 * x) + 0.1 * x


x = np.linspace(-3, 6, 400)  # (400,)
steepness = central_difference(hills, x)  # (400,)
right_is_higher = hills(x + 1e-3) > hills(x - 1e-3)  # (400,)
print(f"the sign is right at {np.mean(right_is_higher == (steepness > 0)):.0%} of {len(x)} places")
assert np.mean(right_is_higher == (steepness > 0)) > 0.99

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(x, hills(x))
for stand in np.linspace(-2.8, 5.8, 12):
    step = 0.6 * np.sign(central_difference(hills, stand))
    left.annotate(
        "",
        xy=(stand + step, hills(stand) - 0.25),
        xytext=(stand, hills(stand) - 0.25),
        arrowprops={"arrowstyle": "-|>", "color": "C1", "linewidth": 1.5},
    )
left.set(xlabel="x", ylabel="f(x)", title="The sign of the slope points uphill…")
right.plot(x, steepness, color="C1")
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
level = x[1:][np.diff(np.sign(steepness)) != 0]  # where the slope changes sign
for ax, heights in ((left, hills(level)), (right, 0 * level)):
    ax.plot(level, heights, "o", color="0.2", fillstyle="none", label="level ground")
right.set(xlabel="x", ylabel="f′(x)", title="…and vanishes at peaks and valleys")
right.legend()
plt.show()

# %% [markdown]
# ## Rules, so that nobody has to measure
#
# *Sum:* slopes add. *Product:* think of a rectangle with sides $u$ and $v$. Nudge $x$ and both sides grow
# a little: a strip of length $v$ for the growth of $u$, a strip of length $u$ for the growth of $v$, and
# a corner too small to count.
#
# $$(u + v)' = u' + v', \qquad (uv)' = u'v + uv' .$$
#
# *Power:* $x^n$ is a product of $n$ equal factors, each of which gets its turn, $(x^n)' = n x^{n-1}$.

# %%
u, v, du, dv = 3.0, 2.0, 0.30, 0.25
corner = (u + du) * (v + dv) - u * v - (du * v + u * dv)
print(f"strips {du * v + u * dv:.3f}, corner {corner:.3f}; ten times closer: corner {du * dv / 100:.5f}")
assert math.isclose(corner, du * dv)

x, n = 1.7, 5
for name, f, rule in (
    ("sum", lambda x: x**2 + np.sin(x), 2 * x + np.cos(x)),
    ("product", lambda x: x**2 * np.sin(x), 2 * x * np.sin(x) + x**2 * np.cos(x)),
    ("power", lambda x: x**n, n * x ** (n - 1)),
    ("power below zero", lambda x: x**-2, -2 * x**-3),
):
    print(f"{name:20s}rule {rule:12.6f}   measured {central_difference(f, x):12.6f}")
    np.testing.assert_allclose(rule, central_difference(f, x), rtol=1e-8)

# %% [markdown]
# *Exponential:* $a^x$ grows in proportion to its own height. For $a = 2$ the factor is below one, for
# $a = 3$ above, and in between lies the base for which it is exactly one. That number is $e$, and $e^x$
# is its own derivative. The factor of any other base is its logarithm to the base $e$, the *natural*
# logarithm. The course writes it $\log$, as NumPy does, or $\ln$; both mean the same.

# %%
for base in (2, math.e, 3):
    factor = central_difference(lambda x, base=base: base**x, 0.0)
    print(f"base {base:.4f}: slope / height {factor:.6f}")
    np.testing.assert_allclose(factor, math.log(base), rtol=1e-8)
heights = np.exp(np.linspace(-2, 2, 9))  # (9,)
slopes = central_difference(np.exp, np.linspace(-2, 2, 9))  # (9,)
np.testing.assert_allclose(slopes, heights, rtol=1e-8)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.bar([0, u, 0, u], [v, v, dv, dv], [u, du, u, du], [0, 0, v, v], align="edge", edgecolor="black",
         color=["0.95", "C0", "C1", "0.5"])  # fmt: skip
for spot_x, spot_y, words in (
    (u / 2, v / 2, "u · v"),
    (u + du / 2, v / 2, "v u′"),
    (u / 2, v + dv / 2, "u v′"),
):
    left.text(spot_x, spot_y, words, ha="center", va="center", rotation=90 if words == "v u′" else 0)
left.set(xlabel="u", ylabel="v", aspect="equal", title="A product grows by two strips")
x = np.linspace(-2, 2, 200)  # (200,)
right.plot(x, np.exp(x), label="eˣ")
for stand, style in zip((-0.5, 0.6, 1.5), ("--", "-.", ":")):
    right.plot(
        [stand - 1, stand], [0, math.exp(stand)], style, color="C1", label=f"slope {math.exp(stand):.2f}"
    )
    right.plot(stand, math.exp(stand), "o", color="C1")
right.set(xlabel="x", ylabel="height", title="eˣ: the slope is the height")
right.legend()
plt.show()

# %% [markdown]
# ## Gears: the chain rule
#
# A gear that turns three times as fast as its neighbour drives one that turns twice as fast as it does.
# Together: six times. For $y = f(u)$ with $u = g(x)$ a nudge of $x$ is stretched by $g'(x)$, and what
# comes out by $f'(u)$:
#
# $$\frac{dy}{dx} = \frac{dy}{du} \cdot \frac{du}{dx} .$$
#
# We follow a nudge through $u = x^2$ and $y = \sin u$. Chapter 6 is this one rule, applied to long
# chains.

# %%
x, nudge = 1.1, 1e-6
u, y = x**2, math.sin(x**2)
du, dy = (x + nudge) ** 2 - u, math.sin((x + nudge) ** 2) - y
print(f"first gear {du / nudge:.4f}, second {dy / du:.4f}, together {dy / nudge:.4f}")
np.testing.assert_allclose([du / nudge, dy / du], [2 * x, math.cos(u)], rtol=1e-5)
np.testing.assert_allclose(central_difference(lambda x: np.sin(x**2), x), 2 * x * math.cos(u), rtol=1e-8)

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
offsets = np.linspace(-0.05, 0.05, 9)  # (9,): nudges of x
levels = [offsets, (x + offsets) ** 2 - u, np.sin((x + offsets) ** 2) - y]  # three times (9,)
for i, distances in enumerate(levels):
    ax.axhline(-i, color="0.7", linewidth=0.8, zorder=0)
    ax.plot(distances, [-i] * 9, "o", color="C0")
for start in range(9):
    ax.plot([distances[start] for distances in levels], [0, -1, -2], color="C1", linewidth=0.8, zorder=1)
ax.text(0.12, -0.4, f"× {2 * x:.2f}", va="center")
ax.text(0.12, -1.6, f"× {math.cos(u):.2f}", va="center")
ax.set(
    yticks=[0, -1, -2],
    yticklabels=["x", "u = x²", "y = sin u"],
    xlabel="distance from the middle",
    xlim=(-0.17, 0.17),
)
ax.set_title("Each step stretches by its own slope")
plt.show()

# %% [markdown]
# ## Two errors, one valley
#
# How small should the step be? Cut it, and the curve looks straighter: the *truncation error* falls, like
# $h$ from one side and like $h^2$ from both. But $f(x + h)$ and $f(x - h)$ then agree in nearly all their
# digits, and the difference keeps only the last, wrong ones: the *rounding error* grows like
# $\varepsilon / h$, where $\varepsilon$ is the gap between $1$ and the next number. Up to constants, the
# sum of a falling and a rising error has its lowest point here:
#
# $$\text{one side: } h + \frac{\varepsilon}{h} \text{ is least at } h = \varepsilon^{1/2}, \qquad
#   \text{both sides: } h^2 + \frac{\varepsilon}{h} \text{ near } h = \varepsilon^{1/3} .$$


# %%
def forward_difference(f, x, h):
    """Slope of f at x, measured from the right only."""
    return (f(x + h) - f(x)) / h


steps = np.logspace(-14, 0, 57)  # (57,): four to a power of ten
places = rng.uniform(0.0, 2.0, size=500)  # (500,): many, so that the luck of one averages out
errors, best = {}, {}
for name, measure, dtype, power in (
    ("one side, float64", forward_difference, np.float64, 1 / 2),
    ("both sides, float64", central_difference, np.float64, 1 / 3),
    ("both sides, float32", central_difference, np.float32, 1 / 3),
):
    points = places.astype(dtype)  # (500,)
    slopes = np.array([measure(np.exp, points, dtype(h)) for h in steps])  # (57, 500)
    exact = np.exp(points.astype(np.float64))  # (500,)
    errors[name] = np.median(np.abs(slopes / exact - 1), axis=1)  # (57,)
    best[name] = steps[errors[name].argmin()], np.finfo(dtype).eps ** power
    print(f"{name:24s}best h {best[name][0]:.0e}, theory {best[name][1]:.0e}, error {errors[name].min():.0e}")
assert all(1 / 6 < measured / theory < 6 for measured, theory in best.values())

# %% [markdown]
# So $10^{-5}$ is the step for *central differences*, slopes from both sides, in float64, Python's own
# kind of number (lesson 2.7 compares the kinds): next to the best for any well-behaved function, with
# about ten correct digits. In float32, which holds seven to begin with, even the best step loses digits
# that a check needs. That is why checks in this course run in float64.

# %%
two_sided, one_sided = errors["both sides, float64"], errors["one side, float64"]


def at(h):
    """Index of the step closest to h."""
    return int(np.abs(np.log(steps / h)).argmin())


print(f"error at 1e-5: {two_sided[at(1e-5)]:.0e}")
assert two_sided[at(1e-5)] < 1e-9 and errors["both sides, float32"].min() > 1e-6
assert 8 < one_sided[at(1e-2)] / one_sided[at(1e-3)] < 12  # like h
assert 80 < two_sided[at(1e-2)] / two_sided[at(1e-3)] < 120  # like h²

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, line), style, marker in zip(errors.items(), ("-", "--", "-."), "o^s"):
    ax.loglog(steps, line, style, label=name)
    ax.plot(best[name][1], line[at(best[name][1])], marker, color="0.2", fillstyle="none")
ax.axvline(1e-5, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step h", ylabel="relative error of the slope", ylim=(1e-13, 10))
ax.set_title("Too small is as bad as too large (marked: theory's step)")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## A number that carries its slope
#
# Measuring loses digits. The rules lose none, so let a number apply them as it goes. A *dual number* is a
# value and a slope, $a + b\,\varepsilon$, where $\varepsilon$ is a nudge so small that
# $\varepsilon^2 = 0$ (not the rounding of before). Multiply two of them, and the product rule falls out:
#
# $$(a + b\,\varepsilon)(c + d\,\varepsilon) = ac + (bc + ad)\,\varepsilon .$$


# %%
class Dual:
    """A value and its slope with respect to one input; plain numbers count as constants."""

    def __init__(self, value, slope=0.0):
        self.value, self.slope = value, slope

    def __repr__(self):
        return f"Dual({self.value}, slope={self.slope})"

    def __add__(self, other):
        other = lift(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other):
        other = lift(other)
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __pow__(self, n):
        """self ** n for a plain number n."""
        return Dual(self.value**n, n * self.value ** (n - 1) * self.slope if n else 0.0)


def lift(x):
    """x as a Dual: a plain number becomes a constant, whose slope is zero."""
    return x if isinstance(x, Dual) else Dual(x)


Dual.__radd__, Dual.__rmul__ = Dual.__add__, Dual.__mul__
Dual.__neg__ = lambda self: self * -1.0
Dual.__sub__ = lambda self, other: self + -lift(other)
Dual.__rsub__ = lambda self, other: lift(other) + -self
Dual.__truediv__ = lambda self, other: self * lift(other) ** -1
Dual.__rtruediv__ = lambda self, other: lift(other) * self**-1


# %% [markdown]
# Functions bring their own slope and multiply it by what they were given: that is the chain rule. To
# differentiate $f$, hand it $x$ with slope one, since $x$ changes as fast as itself.


# %%
def exp(x):
    x = lift(x)
    return Dual(math.exp(x.value), math.exp(x.value) * x.slope)


def log(x):
    x = lift(x)
    return Dual(math.log(x.value), x.slope / x.value)


def sin(x):
    x = lift(x)
    return Dual(math.sin(x.value), math.cos(x.value) * x.slope)


def derivative(f, x):
    """f'(x), exact but for rounding, for an f made of arithmetic and the functions above."""
    return lift(f(Dual(x, 1.0))).slope


print(f"slope of x² at 3: {derivative(lambda x: x * x, 3.0)}")
assert derivative(lambda x: x * x, 3.0) == 6

# %% [markdown]
# Against derivatives that the rules give on paper, and against the measurement: how many digits does each
# get right?

# %%
x = 1.3
known = {
    "x³ − 2/x": (lambda x: x**3 - 2 / x, 3 * x**2 + 2 / x**2),
    "exp(−x²)": (lambda x: exp(-x * x), -2 * x * math.exp(-x * x)),
    "x·sin(log x)": (lambda x: x * sin(log(x)), math.sin(math.log(x)) + math.cos(math.log(x))),
    "1/(1 + exp(−x))": (lambda x: 1 / (1 + exp(-x)), math.exp(-x) / (1 + math.exp(-x)) ** 2),
}
print(f"{'function':20s}{'derivative':>12s}{'dual error':>12s}{'difference':>12s}")
for name, (f, exact) in known.items():
    by_dual = derivative(f, x)
    measured = central_difference(lambda x, f=f: lift(f(x)).value, x)
    print(f"{name:20s}{exact:12.6f}{abs(by_dual - exact):12.0e}{abs(measured - exact):12.0e}")
    assert abs(by_dual - exact) < 1e-14 and 1e-14 < abs(measured - exact) < 1e-8

# %% [markdown]
# ## Differentiating a program
#
# A dual number does not care what the code around it looks like. Heron's method finds $\sqrt a$ by
# repeating $r \leftarrow (r + a/r) / 2$. Nowhere does a formula for the slope appear, and yet it comes
# out, $1 / (2\sqrt a)$, digits doubling with the root's.


# %%
def heron(a, n_steps=6):
    """The square root of a (a number or a Dual), starting from a itself."""
    r = a
    for _ in range(n_steps):
        r = (r + a / r) / 2
    return r


print(f"{'steps':20s}{'root off by':>14s}{'slope off by':>14s}")
misses = []
for n_steps in (2, 3, 4, 6):
    result = heron(Dual(2.0, 1.0), n_steps)
    misses.append((abs(result.value - 2**0.5), abs(result.slope - 0.5 / 2**0.5)))
    print(f"{n_steps:<20d}{misses[-1][0]:14.0e}{misses[-1][1]:14.0e}")
for before, after in zip(misses[:2], misses[1:3]):
    assert all(new < old**1.7 for old, new in zip(before, after))  # almost squared: twice the digits
np.testing.assert_allclose([result.value, result.slope], [2**0.5, 0.5 / 2**0.5], rtol=1e-12)

# %% [markdown]
# This is *forward-mode* automatic differentiation. A network has millions of inputs to nudge, and one
# pass for each would take too long. Chapter 6 turns the direction round and gets them all in one pass.
#
# ## What to remember
#
# - A derivative is the slope of the straight line that the curve becomes under a magnifying glass. It is
#   a sensitivity, and its sign points uphill.
# - Sums add slopes, products swap factors, chains multiply slopes like gears.
# - A measured slope has two errors. From both sides in float64, take a step of 1e-5.
# - Dual numbers apply the rules while the program runs, and are exact but for rounding.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Measure the slope of $|x|$ at zero with `central_difference` and with `forward_difference`. Who is
#    right?
# 2. Move `places` to `rng.uniform(100, 102, size=500)` and `np.exp` to `np.sin`. Where does the best step
#    go, and why?
# 3. Add `tanh` for dual numbers. Which of the functions here could you build it from?
#
# ## Sources
#
# - W. H. Press et al., *Numerical Recipes*, 3rd edition, 2007, section 5.7: the two errors and the best
#   step.
# - W. K. Clifford, "Preliminary sketch of biquaternions", 1873: dual numbers.
# - R. E. Wengert, "A simple automatic derivative evaluation program", *CACM* 7, 1964: forward mode.
