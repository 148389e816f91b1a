# %% [markdown]
# # 2.3 Derivatives: how strongly a result answers to a change
#
# A car that drives at $v$ metres per second and brakes hard needs about $d = v^2 / 14$ metres to stop.
# How many metres does it cost to drive a little faster? At walking speed hardly any, on a motorway a lot.
# The answer is the *derivative* of $d$: the change of the result per change of the input, for a very
# small change. A network has millions of inputs that may be changed, its weights, and training it means
# to change each of them a little in the direction that makes the error smaller. So derivatives are the
# tool on which all training rests.
#
# **You will build** a way to measure derivatives, the rules by which they are computed, and a test of how
# many digits of a measured derivative are right. **You need** nothing but Python functions and NumPy
# arrays.

# %%
import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# Take the car at $v = 14$ (about 50 km/h), so $d = 14^2 / 14 = 14$ metres. Now drive faster by a step
# $h$. The distance grows by
#
# $$\begin{aligned}
#   d(14 + h) - d(14) &= \frac{(14 + h)^2 - 14^2}{14} = \frac{28 h + h^2}{14} = 2h + \frac{h^2}{14} \\
#   \frac{d(14 + h) - d(14)}{h} &= 2 + \frac{h}{14}
# \end{aligned}$$
#
# The second line is the change of $d$ per change of $v$. The smaller the step, the closer it comes to
# $2$, and we can make it as close as we like. So at this speed each further metre per second costs about
# two metres. In general a number that an expression comes as close to as we like is called its *limit*,
# and the derivative of a function $f$ at $x$ is the limit of the change of $f$ per change of $x$:
#
# $$f'(x) = \frac{df}{dx} = \lim_{h \to 0} \frac{f(x + h) - f(x)}{h} .$$
#
# The two notations mean the same. $f'$ is short, and $\frac{df}{dx}$ says what changes with what.

# %%
print(f"{'step h':20s}{'change of d / h':>16s}")
ratios = {}
for h in (1, 0.5, 0.25, 0.125, 0.0625):  # halves are exact in binary
    ratios[h] = ((14 + h) ** 2 / 14 - 14**2 / 14) / h
    print(f"{h:<20}{ratios[h]:16.4f}")

# %% [markdown]
# ## Under a magnifying glass
#
# What does a derivative look like? We plot $\sin x$ near $x = 0.5$ in windows of shrinking width,
# together with the straight line through the same point whose slope is the derivative. (That this is
# $\cos 0.5$ is shown further down.) How large will the gap between the two be in each window? The last
# panel does the same with $\lvert x \rvert$ at zero.

# %%
place = 0.5
slope = math.cos(place)
gaps = {}
for half_width in (1.0, 0.1, 0.01):
    x = np.linspace(place - half_width, place + half_width, 201)  # (201,)
    line = math.sin(place) + slope * (x - place)  # (201,)
    gaps[half_width] = np.abs(np.sin(x) - line).max()
    share = gaps[half_width] / half_width
    print(f"window ±{half_width:<8}largest gap {gaps[half_width]:.1e}, {share:.2%} of the window")

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
plt.show()

# %% [markdown]
# In a window ten times narrower the gap is a hundred times smaller, so even in proportion to the window
# it shrinks tenfold, and the curve and the line can no longer be told apart. This line is the *tangent*,
# and the derivative is its slope. The corner of $\lvert x \rvert$ looks the same at every magnification,
# so $\lvert x \rvert$ has no derivative at zero.
#
# ## The sign is a direction
#
# If the derivative is positive, the function grows to the right, and if it is negative, it grows to the
# left. So the sign tells which way is up, and training goes the other way. To measure a derivative we
# take the *central difference*, from a small step to both sides, which is more exact than one side, as we
# shall see:
#
# $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h} .$$
#
# Below, the derivative of a hilly landscape is measured at many places, with an arrow uphill at some of
# them. Where do you expect it to be zero?


# %%
def central_difference(f, x, h=1e-5):
    """Derivative of f at x, measured from both sides; x: a number or an array, f: element by element."""
    return (f(x + h) - f(x - h)) / (2 * h)


def hills(x):
    """The height of a hilly landscape at x, a number or an array."""
    return np.sin(x) + 0.3 * np.sin(3 * x) + 0.1 * x


x = np.linspace(-3, 6, 400)  # (400,)
steepness = central_difference(hills, x)  # (400,)
level = x[1:][np.diff(np.sign(steepness)) != 0]  # where the sign of the derivative changes

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True)
left.plot(x, hills(x))
for stand in np.linspace(-2.8, 5.8, 9):
    step = 0.5 * np.sign(central_difference(hills, stand))
    left.annotate("", xy=(stand + step, hills(stand)), xytext=(stand, hills(stand)),
                  arrowprops={"arrowstyle": "-|>", "color": "C1", "linewidth": 1.5})  # fmt: skip
left.plot(level, hills(level), "o", color="0.2", fillstyle="none")
left.set(xlabel="x", ylabel="f(x)", title="Arrows in the direction of the sign of f′")
right.plot(x, steepness, color="C1")
right.axhline(0, color="0.7", linewidth=0.8, zorder=0)
right.plot(level, 0 * level, "o", color="0.2", fillstyle="none", label="f′ = 0")
right.set(xlabel="x", ylabel="f′(x)", title="The derivative at each place")
right.legend()
plt.show()

# %% [markdown]
# Every arrow points to the higher side, and at the circles the derivative changes its sign: these are the
# peaks and the bottoms of the valleys. (It can also be zero on a terrace, as for $x^3$ at zero.)
#
# ## Rules for combined functions
#
# If a rule gives the derivative at once, nobody needs to measure it. Let $u$ and $v$ be two functions of
# $x$.
#
# By the *sum rule* slopes add, so if $u$ grows by $3$ and $v$ by $2$ per step, $u + v$ grows by $5$. For
# the *product rule*, think of a rectangle with the sides $u$ and $v$ (left figure). If both sides grow a
# little, the area grows by a strip along each side, $v$ times the growth of $u$ and $u$ times the growth
# of $v$. There is also a small corner, the product of both growths. With a step ten times smaller the
# strips are ten times smaller but the corner a hundred times, so in the limit it does not count.
#
# The *chain rule* is about a function of a function. Suppose $u$ grows $3$ times as fast as $x$, and $y$
# grows $2$ times as fast as $u$. Then $y$ grows $6$ times as fast as $x$, so rates multiply. We follow
# small changes of $x$ through $u = x^2$ and $y = \sin u$ (right figure).

# %%
u = 3.0
v = 2.0
growth_u = 0.30
growth_v = 0.25
x = 1.1
changes = np.linspace(-0.05, 0.05, 9)  # (9,): of x
levels = [changes, (x + changes) ** 2 - x**2, np.sin((x + changes) ** 2) - math.sin(x**2)]  # 3 times (9,)
first_rate = 2 * x
second_rate = math.cos(x**2)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
corners = [(0, 0), (u, 0), (0, v), (u, v)]
sizes = [(u, v), (growth_u, v), (u, growth_v), (growth_u, growth_v)]
for corner, size, color in zip(corners, sizes, ("0.95", "C0", "C1", "0.5")):
    left.add_patch(plt.Rectangle(corner, *size, facecolor=color, edgecolor="black"))
left.text(u / 2, v / 2, "u · v", ha="center", va="center")
left.text(u + growth_u / 2, v / 2, "v · growth of u", ha="center", va="center", rotation=90)
left.text(u / 2, v + growth_v / 2, "u · growth of v", ha="center", va="center")
left.set(
    xlabel="u",
    ylabel="v",
    aspect="equal",
    xlim=(0, 3.5),
    ylim=(0, 2.5),
    title="A product grows by two strips",
)
for i, distances in enumerate(levels):
    right.axhline(-i, color="0.7", linewidth=0.8, zorder=0)
    right.plot(distances, [-i] * 9, "o", color="C0")
for i in range(9):
    right.plot([distances[i] for distances in levels], [0, -1, -2], color="C1", linewidth=0.8, zorder=1)
right.text(0.12, -0.4, f"× {first_rate:.2f}", va="center")
right.text(0.12, -1.6, f"× {second_rate:.2f}", va="center")
right.set(yticks=[0, -1, -2], yticklabels=["x", "u = x²", "y = sin u"], xlim=(-0.17, 0.17))
right.set(xlabel="change", title="Two steps of a chain, each with its own rate")
plt.show()

# %% [markdown]
# On the right, nine changes of $x$ are spread out by the factor $u' = 2x$ and then drawn together by the
# factor $\cos u$. Together they are multiplied by the product of the two. Chapter 6 applies this rule to
# long chains.
#
# Three more rules follow from these. The *power rule* gives $x^n$ the derivative $n x^{n-1}$, because
# $x^n$ is a product of $n$ equal factors, and each of them contributes one strip, $x^{n-1}$. For the
# *quotient rule* let $q = u / v$, so that $u = qv$ and by the product rule $u' = q'v + qv'$, which we
# solve for $q'$. A constant factor stays, $(cu)' = cu'$, because a constant does not grow.
#
# ## Rules for five functions
#
# How fast does $a^x$ grow? $\frac{a^{x+h} - a^x}{h} = a^x \cdot \frac{a^h - 1}{h}$, so its derivative is
# its own height times a factor that depends on $a$ only. We measure this factor for some bases.

# %%
factors = {}
for base in (2, math.e, 3):
    factors[base] = central_difference(partial(pow, base), 0.0)  # of the function base**x, at x = 0
    print(f"base {base:.4f}: derivative / height {factors[base]:.6f}, logarithm {math.log(base):.6f}")

# %% [markdown]
# For the base $2$ the factor is below one, for $3$ above, and in between lies the number
# $e \approx 2.718$, for which it is exactly one. So $e^x$ is its own derivative. The factor of any other
# base is the power to which $e$ must be raised to get it, its *natural logarithm*. It is written $\ln$
# or, as in NumPy, $\log$. Logarithms turn products into sums, $\ln(ab) = \ln a + \ln b$ and
# $\ln(a^b) = b \ln a$, because $e^x e^y = e^{x+y}$.
#
# The derivative of $y = \ln x$ follows from the chain rule: $e^y = x$, so $e^y \cdot y' = 1$ and
# $y' = 1 / e^y = 1 / x$. With it the power rule holds for $n$ below zero and for fractions, too, if
# $x > 0$. Because $x^n = e^{n \ln x}$, the chain rule gives $x^n \cdot n / x$, which is $n x^{n-1}$
# again.
#
# For sine and cosine, let a point run round a circle of radius one with speed one. After the time $t$ it
# is at $(\cos t, \sin t)$. In which direction does it move there?

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
x = np.linspace(-2, 2, 200)  # (200,)
left.plot(x, np.exp(x), label="eˣ")
for stand, style in zip((-0.5, 0.6, 1.5), ("--", "-.", ":")):
    height = math.exp(stand)
    left.plot([stand - 1, stand], [0, height], style, color="C1", label=f"slope {height:.2f}")
    left.plot(stand, height, "o", color="C1")
left.set(xlabel="x", ylabel="height", title="Tangents of eˣ: the slope is the height")
left.legend()
t = np.linspace(0, 2 * math.pi, 200)  # (200,)
right.plot(np.cos(t), np.sin(t))
for stand in (0.6, 2.2):
    point = math.cos(stand), math.sin(stand)
    right.quiver(0, 0, *point, angles="xy", scale_units="xy", scale=1, color="0.7")
    velocity = central_difference(np.cos, stand), central_difference(np.sin, stand)
    right.quiver(*point, *velocity, angles="xy", scale_units="xy", scale=1, color="C1")
    middle = 0.5 * point[0] + 0.25 * point[1], 0.5 * point[1] - 0.25 * point[0]  # beside the grey arrow
    right.text(*middle, f"t = {stand}", ha="center")
right.set(xlabel="cos t", ylabel="sin t", aspect="equal", xlim=(-2, 2), ylim=(-1.2, 1.7))
right.set_title("Position (grey) and measured velocity")
plt.show()

# %% [markdown]
# On the left each dashed line starts on the axis one unit to the left of its point and rises to the
# point, so its slope is the height of the point. All three only touch the curve, so they are its
# tangents. On the right the velocity stands at a right angle to the position and is also of length one.
# So it is the position turned by a quarter of a circle, $(-\sin t, \cos t)$, and its two entries are the
# derivatives of $\cos t$ and $\sin t$.
#
# The last of the five is $\tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}}$, which squeezes any number between
# $-1$ and $1$ and is used in many networks. Numerator and denominator are each other's derivative, so the
# quotient rule gives $\frac{v \cdot v - u \cdot u}{v^2} = 1 - \tanh^2 x$. Here are all the rules:
#
# | function | derivative | | function | derivative |
# | --- | --- | --- | --- | --- |
# | $c\,u$ | $c\,u'$ | | $e^x$ | $e^x$ |
# | $u + v$ | $u' + v'$ | | $\ln x$ | $1/x$ |
# | $u\,v$ | $u'v + uv'$ | | $\sin x$ | $\cos x$ |
# | $u / v$ | $(u'v - uv') / v^2$ | | $\cos x$ | $-\sin x$ |
# | $f(u)$ | $f'(u)\,u'$ | | $\tanh x$ | $1 - \tanh^2 x$ |
# | $x^n$ | $n x^{n-1}$ | | | |

# %%
x = 1.7
examples = {  # the function, and its derivative at x by the rules
    "x² + sin x": (lambda x: x**2 + np.sin(x), 2 * x + np.cos(x)),
    "x² sin x": (lambda x: x**2 * np.sin(x), 2 * x * np.sin(x) + x**2 * np.cos(x)),
    "sin x / x²": (lambda x: np.sin(x) / x**2, (np.cos(x) * x**2 - np.sin(x) * 2 * x) / x**4),
    "sin x²": (lambda x: np.sin(x**2), np.cos(x**2) * 2 * x),
    "x⁻²": (lambda x: x**-2, -2 * x**-3),
    "exp x": (np.exp, np.exp(x)),
    "log x": (np.log, 1 / x),
    "sin x": (np.sin, np.cos(x)),
    "cos x": (np.cos, -np.sin(x)),
    "tanh x": (np.tanh, 1 - np.tanh(x) ** 2),
}
print(f"{'function':20s}{'rule':>12s}{'measured':>12s}")
for name, (f, by_rule) in examples.items():
    measured = central_difference(f, x)
    print(f"{name:20s}{by_rule:12.6f}{measured:12.6f}")
    np.testing.assert_allclose(by_rule, measured, rtol=1e-7)

# %% [markdown]
# Every rule agrees with the measurement.
#
# ## How small should the step be?
#
# For the car the error of the measured slope was $h / 14$. Why not take $h = 10^{-14}$? Because a
# computer stores only about sixteen digits of a number and rounds the rest, and $f(x + h)$ and $f(x - h)$
# then agree in nearly all of them, so that their difference consists of the last, rounded ones. So there
# are two errors, and both depend on $h$. The *truncation error* exists because the curve is not straight.
# Measured on one side it shrinks in proportion to $h$. Measured on both sides it shrinks like $h^2$,
# because the bend of the curve raises (or lowers) $f(x + h)$ and $f(x - h)$ alike and cancels in their
# difference: for the car, $\frac{(14 + h)^2 - (14 - h)^2}{14 \cdot 2h} = \frac{56 h}{28 h} = 2$ exactly.
# The *rounding error* is about $\varepsilon$ in each value of $f$ and is divided by the step, so it grows
# like $\varepsilon / h$. Here $\varepsilon$ is the gap between $1$ and the next larger number that the
# computer can store. Up to constants the sums are $h + \varepsilon / h$ on one side and
# $h^2 + \varepsilon / h$ on both. At the smallest sum the derivative with respect to $h$ is zero, which
# gives
#
# $$h = \varepsilon^{1/2} \text{ on one side}, \qquad h \approx \varepsilon^{1/3} \text{ on both sides} .$$
#
# We try it with $e^x$ at many places between $0$ and $2$, in two kinds of numbers: float64, Python's own,
# and float32 with seven digits (lesson 2.7).


# %%
def forward_difference(f, x, h=1e-8):
    """Derivative of f at x, measured from the right only."""
    return (f(x + h) - f(x)) / h


steps = np.logspace(-14, 0, 57)  # (57,): four per power of ten
places = rng.uniform(0.0, 2.0, size=500)  # (500,): many, so that the luck of one averages out
exact = np.exp(places)  # (500,): the derivative of eˣ
errors = {}
best = {}
print(f"{'measured':24s}{'best h':>10s}{'theory':>10s}{'error':>10s}")
for name, measure, dtype, power in (
    ("one side, float64", forward_difference, np.float64, 1 / 2),
    ("both sides, float64", central_difference, np.float64, 1 / 3),
    ("both sides, float32", central_difference, np.float32, 1 / 3),
):
    slopes = np.array([measure(np.exp, places.astype(dtype), dtype(h)) for h in steps])  # (57, 500)
    errors[name] = np.median(np.abs(slopes / exact - 1), axis=1)  # (57, 500) -> (57,)
    best[name] = steps[errors[name].argmin()], np.finfo(dtype).eps ** power
    print(f"{name:24s}{best[name][0]:10.0e}{best[name][1]:10.0e}{errors[name].min():10.0e}")

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, line), style, marker in zip(errors.items(), ("-", "--", "-."), "o^s"):
    ax.loglog(steps, line, style, label=name)
    nearest = np.abs(np.log(steps / best[name][1])).argmin()
    ax.plot(best[name][1], line[nearest], marker, color="0.2", fillstyle="none")
ax.axvline(1e-5, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="step h", ylabel="relative error of the derivative", ylim=(1e-13, 10))
ax.set_title("Error of a measured derivative (marked: the step of theory)")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# Each curve falls from the right, where truncation rules, has its lowest point near the mark, and rises
# to the left, where rounding rules. Measured on both sides in float64, a step of $10^{-5}$ (the grey
# line) gives about ten correct digits. In float32 even the best step leaves only about five, which is why
# this course checks gradients in float64.
#
# But $10^{-5}$ is right only for inputs around one and curves that bend over a length of about one. What
# about other sizes?

# %%
scales = 1 + rng.random(500)  # (500,)
cases = {  # function, places, derivatives there, the length over which the function bends
    "exp x near 1": (np.exp, scales, np.exp(scales), 1.0),
    "sin 1000x near 1": (lambda x: np.sin(1000 * x), scales, 1000 * np.cos(1000 * scales), 1e-3),
    "log x near 10⁶": (np.log, 1e6 * scales, 1e-6 / scales, 1e6),
}
size_errors = {}
print(f"{'function':20s}{'h':>12s}{'error':>12s}{'h':>12s}{'error':>12s}")
for name, (f, points, derivatives_there, length) in cases.items():
    size_errors[name] = []
    for h in (1e-5, 1e-5 * length):
        relative_errors = np.abs(central_difference(f, points, h) / derivatives_there - 1)  # (500,)
        size_errors[name].append(np.median(relative_errors))
    fixed, fitted = size_errors[name]
    print(f"{name:20s}{1e-5:12.0e}{fixed:12.0e}{1e-5 * length:12.0e}{fitted:12.0e}")

# %% [markdown]
# With the step $10^{-5}$ the derivatives in the second and the third row have only four or five correct
# digits. For $\sin 1000x$ this step is too long (truncation), and for $\log x$ near a million it is too
# short (rounding). With a step of $10^{-5}$ times the length over which the function bends, both gain at
# least three more digits.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert all(abs(ratio - 2 - h / 14) < 1e-12 for h, ratio in ratios.items()), "the ratio is 2 + h / 14"
for wide, narrow in ((1.0, 0.1), (0.1, 0.01)):
    assert 50 < gaps[wide] / gaps[narrow] < 200, "a tenth of the window has a hundredth of the gap"
right_is_higher = hills(np.linspace(-3, 6, 400) + 1e-3) > hills(np.linspace(-3, 6, 400) - 1e-3)  # (400,)
assert np.mean(right_is_higher == (steepness > 0)) > 0.99, "the sign of the derivative points uphill"
assert factors[2] < 1 < factors[3], "for the base 2 the factor is below one, for 3 above"
np.testing.assert_allclose(list(factors.values()), [math.log(base) for base in factors], rtol=1e-8,
                           err_msg="the factor is the natural logarithm of the base")  # fmt: skip
for measured, theory in best.values():
    assert 1 / 6 < measured / theory < 6, "the best step is near that of theory"
assert errors["both sides, float64"].min() < 1e-9, "both sides in float64: more than nine correct digits"
assert errors["both sides, float32"].min() > 1e-6, "in float32 the best step leaves fewer than six digits"
assert len(size_errors) == 3, "three sizes were tried"
for name, (fixed, fitted) in list(size_errors.items())[1:]:
    assert 3e-6 < fixed < 3e-4, f"{name}: a step of 1e-5 leaves four or five digits"
    assert fitted < fixed / 1000, f"{name}: a step that fits gains three digits"

# %% [markdown]
# ## Going further
#
# This can be skipped. It shows how a program can apply the rules by itself, which is the first half of
# what lesson 6.3 builds for networks.
#
# ### A number that carries its derivative
#
# Measuring loses digits, and the rules lose none. So let a number carry its derivative along and apply
# the rules in each operation. A *dual number* is a value and a slope, written $a + b\,\varepsilon$, where
# $\varepsilon$ now stands for a change so small that $\varepsilon^2 = 0$. The product of two of them
# contains the product rule:
#
# $$(a + b\,\varepsilon)(c + d\,\varepsilon) = ac + (bc + ad)\,\varepsilon .$$
#
# For `a + b` Python calls the method `a.__add__(b)`. If `a` is a plain number, which knows nothing of
# dual numbers, Python calls `b.__radd__(a)` instead. The other operations have such pairs of methods,
# too, and by defining them we teach Python to compute with our numbers.


# %%
def lift(x):
    """x as a Dual: a plain number becomes a constant, whose slope is zero."""
    return x if isinstance(x, Dual) else Dual(x)


class Dual:
    """A value and its slope with respect to one input; plain numbers count as constants."""

    def __init__(self, value, slope=0.0):
        self.value = value
        self.slope = slope

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
        if n == 0:  # a constant; the formula below would compute 0 ** -1 at zero
            return Dual(1.0)
        return Dual(self.value**n, n * self.value ** (n - 1) * self.slope)

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -lift(other)

    def __truediv__(self, other):
        return self * lift(other) ** -1

    def __radd__(self, other):  # other + self
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return lift(other) - self

    def __rtruediv__(self, other):
        return lift(other) / self


# %% [markdown]
# Functions bring their own derivative and multiply it by the slope of their input, which is the chain
# rule. To differentiate $f$, we hand it $x$ with the slope one, since $x$ changes as fast as itself.


# %%
def exp(x):
    x = lift(x)
    return Dual(math.exp(x.value), math.exp(x.value) * x.slope)


def log(x):
    x = lift(x)
    return Dual(math.log(x.value), 1 / x.value * x.slope)


def sin(x):
    x = lift(x)
    return Dual(math.sin(x.value), math.cos(x.value) * x.slope)


def derivative(f, x):
    """f'(x), exact but for rounding, for an f made of arithmetic and the functions above."""
    return lift(f(Dual(x, 1.0))).slope


x = 1.3
known = {  # the function, and its derivative by the rules
    "x³ − 2/x": (lambda x: x**3 - 2 / x, 3 * x**2 + 2 / x**2),
    "exp(−x²)": (lambda x: exp(-x * x), -2 * x * math.exp(-x * x)),
    "x·sin(log x)": (lambda x: x * sin(log(x)), math.sin(math.log(x)) + math.cos(math.log(x))),
    "1/(1 + exp(−x))": (lambda x: 1 / (1 + exp(-x)), math.exp(-x) / (1 + math.exp(-x)) ** 2),
}
dual_errors = []
difference_errors = []
print(f"{'function':20s}{'derivative':>12s}{'dual error':>12s}{'difference':>12s}")
for name, (f, by_rule) in known.items():
    measured = central_difference(lambda x, f=f: lift(f(x)).value, x)
    dual_errors.append(abs(derivative(f, x) - by_rule))
    difference_errors.append(abs(measured - by_rule))
    print(f"{name:20s}{by_rule:12.6f}{dual_errors[-1]:12.0e}{difference_errors[-1]:12.0e}")

# %% [markdown]
# The dual numbers are right to the last digit or two, the measured slopes to ten.
#
# A dual number does not care what the code around it looks like. Heron's method finds $\sqrt a$ by
# repeating $r \leftarrow (r + a/r) / 2$. No formula for a derivative occurs in it. Will the slope come
# out as $\frac{1}{2\sqrt a}$ all the same?


# %%
def heron(a, n_steps=6):
    """The square root of a (a number or a Dual), starting from a itself."""
    r = a
    for _ in range(n_steps):
        r = (r + a / r) / 2
    return r


root_errors = []
slope_errors = []
print(f"{'steps':20s}{'root off by':>14s}{'slope off by':>14s}")
for n_steps in (2, 3, 4, 6):
    result = heron(Dual(2.0, 1.0), n_steps)
    root_errors.append(abs(result.value - 2**0.5))
    slope_errors.append(abs(result.slope - 0.5 / 2**0.5))
    print(f"{n_steps:<20d}{root_errors[-1]:14.0e}{slope_errors[-1]:14.0e}")

# %% [markdown]
# It does, and with each step it has about twice as many correct digits, as the root has. This is
# *forward-mode automatic differentiation*. It needs one pass through the program for each input, and a
# network has millions. Chapter 6 turns the direction round and gets all of them in one pass.

# %%
assert max(dual_errors) < 1e-14, "dual numbers are right to the last digits"
assert min(difference_errors) > 1e-14, "measured slopes are not"
assert slope_errors[1] < slope_errors[0] ** 1.7, "each step of Heron's method nearly doubles the digits"
assert max(root_errors[-1], slope_errors[-1]) < 1e-12, "Heron's method gives the root and its derivative"

# %% [markdown]
# ## What to remember
#
# - The derivative is the limit of the change of the result per change of the input, for smaller and
#   smaller changes. It is the slope of the tangent.
# - Its sign is the direction in which the function grows.
# - Sums add slopes. A product has two parts, $u'v + uv'$. In a chain rates multiply.
# - A measured derivative has two errors, truncation and rounding. On both sides in float64, for numbers
#   and bends around one, take $h = 10^{-5}$.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Move the magnifying glass to `place = 0.0`. How does the gap shrink there from window to window, and
#    why? Look at the printed gaps, and remember how $\sin x$ bends at zero.
# 2. Move the places to `rng.uniform(100, 102, size=500)`, and take a function that does not explode
#    there: put `np.sin` for the `np.exp` in `slopes`, and `np.cos` for the one in `exact`. Where does the
#    best step go, and why? Look at the table above the last figure of the core.
# 3. In a blank cell at the end: write `tanh(x)` for dual numbers, and compare `derivative(tanh, 0.5)`
#    with `1 - math.tanh(0.5) ** 2`. Which of the functions above could you also build it from?
#
# ## Sources
#
# - W. H. Press et al., _Numerical Recipes_, 3rd edition, 2007, section 5.7: the two errors and the best
#   step. Reproduced: "the best step is near that of theory".
# - W. K. Clifford, "Preliminary sketch of biquaternions", 1873: dual numbers.
# - R. E. Wengert, "A simple automatic derivative evaluation program", _CACM_ 7, 1964: forward mode.
#   Reproduced: "dual numbers are right to the last digits".
