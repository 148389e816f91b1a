# %% [markdown]
# # 4.6 A regression project: forecasting next month's carbon dioxide
#
# On a volcano in Hawaii, far from any chimney, the air has been measured since 1958. Carbon dioxide is
# high every spring and low every autumn, after the northern forests have taken up a part of it over the
# summer, and every year the whole wave stands a little higher. What will next month's value be, and how
# sure can we be? To predict a number, where a classifier names a class, is called regression. Demand for
# electricity, water levels and sales are forecast in the same way, and with the same traps.
#
# **You will build** a second complete project: a split by time, baselines first, a model with its scaling
# inside, a test for leaks from the future, an error in real units with its uncertainty, and a forecast
# with a band. **You need** the uncertainty of an average (2.8), splits (3.1), modules (4.3) and the
# training cycle (4.4).

# %%
import copy
import csv
import datetime
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# Four months show the values 350, 352, 353 and 351. We can predict each from the month before in two
# ways. *Persistence* says that it will stay as it was; the other rule says that it will rise by 1. An
# error is counted in the unit of the values, so we take the root of the mean squared error (*RMSE*),
# $\sqrt{\frac1n \sum_i (\hat y_i - y_i)^2}$, in which a large miss weighs more than two small ones.
#
# $$\begin{aligned}
#   \text{persistence:} \quad & 350 - 352 = -2, \quad 352 - 353 = -1, \quad 353 - 351 = 2
#     && \sqrt{(4 + 1 + 4) / 3} = 1.73 \\
#   \text{rise by 1:} \quad & 351 - 352 = -1, \quad 353 - 353 = 0, \quad 354 - 351 = 3
#     && \sqrt{(1 + 0 + 9) / 3} = 1.83
# \end{aligned}$$
#
# The second rule is nearer twice out of three times, and still has the larger error.


# %%
def rmse(predictions, targets):
    """Root mean squared error, in the unit of the values; ValueError if shapes differ or are empty."""
    if np.shape(predictions) != np.shape(targets) or np.size(targets) == 0:
        raise ValueError(f"predictions have shape {np.shape(predictions)}, targets {np.shape(targets)}")
    errors = np.subtract(predictions, targets, dtype=float)  # small whole numbers would overflow
    return float(np.sqrt(np.mean(errors**2)))


four_months = np.array([350.0, 352.0, 353.0, 351.0])
print(f"persistence {rmse(four_months[:-1], four_months[1:]):.2f}", end="   ")
print(f"rise by 1 {rmse(four_months[:-1] + 1, four_months[1:]):.2f}")
assert round(rmse(four_months[:-1], four_months[1:]), 2) == 1.73

# %% [markdown]
# ## From weeks to months, and a split by time
#
# The file has one value per week, in *parts per million* (ppm), which says how many of a million
# molecules of dry air are CO₂. Some weeks are missing, so we average each calendar month, and leave a
# month without a measurement empty. To fill it from its neighbours would be tempting, but the later
# neighbour is the future. (A series of your own needs two columns, a date such as 2024-03-29 or 20240329
# and a number; for a file from Excel, 3.1 says how.)


# %%
def monthly_means(dates, values):
    """Mean value of each month from the first to the last; dates: "YYYYMMDD" or "YYYY-MM-DD".

    Returns (series, first): NaN if a month has no value, and the first month as months since year 0.
    Raises ValueError if there are not as many values as dates, or if one is written otherwise.
    """
    if len(dates) != len(values):
        raise ValueError(f"{len(dates)} dates but {len(values)} values")
    days = [datetime.date.fromisoformat(date) for date in dates]
    months = np.array([12 * day.year + day.month - 1 for day in days])  # (n,)
    counts = np.bincount(months - months.min())  # (n_months,)
    sums = np.bincount(months - months.min(), weights=values)  # (n_months,)
    series = np.full(len(counts), np.nan)
    series[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return series, int(months.min())


with open(HERE / "data" / "co2.csv", encoding="utf-8") as file:
    weeks = [row for row in csv.DictReader(file) if row["co2"]]
series, first_month = monthly_means([row["date"] for row in weeks], [float(row["co2"]) for row in weeks])
years = (first_month + np.arange(len(series))) / 12  # (n_months,): 1958.2 is March 1958
print(f"{len(weeks)} weeks, {len(series)} months from {years[0]:.1f} to {years[-1]:.1f}", end=", ")
print(f"{np.isnan(series).sum()} of them empty")

# %% [markdown]
# How should we split? If the months were shuffled, most months of the test would have the month before
# and the month after them in training, and these two are nearly the answer. So the split follows time,
# which means that we train on what came first, choose on the years after it, and test on the last years.
# Look at both panels below and say which quantity a model could learn from the training years: the level,
# or the change from month to month? (The right panel uses training years only.)

# %%
VALIDATION = 1990  # its first year
TEST = 1995
level_known = np.nanmax(series[years < VALIDATION])
lowest_tested = np.nanmin(series[years >= TEST])
print(f"highest level in training {level_known:.1f} ppm, lowest in the test {lowest_tested:.1f} ppm")

change = np.diff(series)  # (n_months,) -> (n_months - 1,)
month = (first_month + 1 + np.arange(len(change))) % 12 + 1  # (n_months - 1,): 1 is January
decades = {decade: (years[1:] >= decade) & (years[1:] < decade + 10) for decade in (1960, 1980)}
typical_changes = []
for chosen in decades.values():
    typical_changes.append([np.nanmean(change[chosen & (month == m)]) for m in range(1, 13)])
correlation = np.corrcoef(typical_changes)[0, 1]
print(f"correlation of the typical changes, 1960s and 1980s: {correlation:.3f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
parts = {"train": (0, VALIDATION), "validation": (VALIDATION, TEST), "test": (TEST, 9999)}
for (name, (start, stop)), style in zip(parts.items(), ("-", "--", ":")):
    chosen = (years >= start) & (years < stop)
    left.plot(years[chosen], series[chosen], style, label=name)
left.set(xlabel="year", ylabel="CO₂ (ppm)", title="The series and its split")
left.legend()
for (decade, chosen), marker in zip(decades.items(), "o^"):
    label = f"{decade} to {decade + 9}"
    right.plot(month[chosen], change[chosen], marker, color="0.2", fillstyle="none", label=label)
right.set(xlabel="month", ylabel="change since the month before (ppm)", title="Changes from month to month")
right.legend()
plt.show()

# %% [markdown]
# The test lies above everything that was seen in training, so a model cannot look up a level. But the
# changes are alike in the 1960s and in the 1980s, month by month. So we let the model predict the change
# and add it to the last level.
#
# An example is a window, which has some months in a row as input and the month after them as target;
# windows that touch an empty month are dropped. The target's month decides to which set a window
# belongs, and everything in its input is older.


# %%
def windows(series, width):
    """(inputs, targets, positions): `width` values in a row, the value after them, and its place.

    Shapes (n, width), (n,) and (n,). Windows with a NaN are left out.
    """
    positions = np.arange(width, len(series))
    inputs = np.lib.stride_tricks.sliding_window_view(series, width)[:-1]  # (n, width): a view (4.1)
    targets = series[positions]  # (n,)
    whole = ~np.isnan(inputs).any(axis=1) & ~np.isnan(targets)  # (n,)
    return inputs[whole], targets[whole], positions[whole]


width = 24
inputs, targets, positions = windows(series, width)
when = years[positions]
split = {"train": when < VALIDATION, "validation": (when >= VALIDATION) & (when < TEST), "test": when >= TEST}
# the three values of `split` in their order, each as a pair (inputs, targets)
train, validation, test = ((inputs[chosen], targets[chosen]) for chosen in split.values())
print({name: int(chosen.sum()) for name, chosen in split.items()})

# %% [markdown]
# ## Baselines first
#
# Before any network we try rules that take three lines each. A network that does not beat them is of no
# use.
#
# - Persistence: next month will be like this one.
# - Seasonal: it will change as it did a year ago.
# - Linear: a weighted sum of the past months, with the weights by least squares (2.5).
#
# The table shows training and validation only. The test is not opened before all choices are made.


# %%
def persistence(inputs):
    """The last value again; inputs: (n, width)."""
    return inputs[:, -1]


def seasonal(inputs):
    """The last value plus the change that followed it a year before; inputs: (n, width) with width > 12."""
    return inputs[:, -1] + inputs[:, -12] - inputs[:, -13]


def least_squares(inputs, targets):
    """The linear prediction of the next change from all past months relative to the last, as a function."""

    def design(x):
        return np.column_stack([x[:, :-1] - x[:, -1:], np.ones_like(x[:, -1])])  # (n, width): the last is 1

    weights = np.linalg.lstsq(design(inputs), targets - inputs[:, -1])[0]  # (width,)
    return lambda x: x[:, -1] + design(x) @ weights  # (n, width) @ (width,) -> (n,)


linear = least_squares(*train)
baselines = {"persistence": persistence, "seasonal": seasonal, "linear": linear}
baseline_errors = {}
print(f"{'error (ppm)':20s}{'train':>12s}{'validation':>12s}")
for name, predict_next in baselines.items():
    baseline_errors[name] = [rmse(predict_next(x), y) for x, y in (train, validation)]
    print(f"{name:20s}" + "".join(f"{value:12.3f}" for value in baseline_errors[name]))

# %% [markdown]
# A year of memory removes about two thirds of the error of persistence, and a weighted sum removes some
# more. A third of a ppm is what the network has to beat.
#
# ## A model that takes ppm and gives ppm
#
# The network sees each past month relative to the last one and predicts the change to the next, so the
# level never reaches it. Mean and spread of its inputs and outputs belong to the model. As buffers (4.3)
# they are saved with it, and whoever uses the model hands over ppm and gets ppm. They are measured on
# training windows only.


# %%
class Forecaster(nn.Module):
    """Next value from the last `width`: an MLP on standardized differences, with its scaling inside.

    inputs: (B, width) in the unit of the series; the result has shape (B,) and the same unit.
    """

    def __init__(self, width, n_hidden):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(width - 1, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1))
        self.register_buffer("center", torch.zeros(width - 1))
        self.register_buffer("spread", torch.ones(width - 1))
        self.register_buffer("step_center", torch.zeros(1))
        self.register_buffer("step_spread", torch.ones(1))

    def measure(self, inputs, targets):
        """Set the scaling from training windows; ValueError if they are too alike to have a spread."""
        past = inputs[:, :-1] - inputs[:, -1:]  # (B, width - 1) - (B, 1)
        step = targets - inputs[:, -1]  # (B,)
        if len(inputs) < 2 or not (past.std(dim=0) > 0).all() or not step.std() > 0:
            raise ValueError(f"{len(inputs)} windows, but in some month all are the same: there is no spread")
        self.center.copy_(past.mean(dim=0))
        self.spread.copy_(past.std(dim=0))
        self.step_center.copy_(step.mean())
        self.step_spread.copy_(step.std())

    def forward(self, inputs):
        past = inputs[:, :-1] - inputs[:, -1:]  # (B, width - 1) - (B, 1)
        step = self.network((past - self.center) / self.spread)[:, 0]  # (B, width - 1) -> (B, 1) -> (B,)
        return inputs[:, -1] + step * self.step_spread + self.step_center


# %% [markdown]
# Training is the cycle of lesson 4.4 at a smaller size. There are some three hundred windows, so whole
# tensors are indexed and no loader is needed; the run takes seconds, so the best state is kept in memory
# and no checkpoint is written. The loss is the squared error in units of the typical change, so that the
# learning rate does not depend on the unit. Three learning rates are tried on validation data.


# %%
def predict(model, inputs):
    """Predictions of a forecaster for a NumPy array (n, width), as a NumPy array (n,)."""
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(inputs).float()).double().numpy()


def fit(train, validation, seed, n_epochs=60, learning_rate=0.02, batch_size=32):
    """A forecaster trained on (inputs, targets), at its best epoch on `validation`; and errors by epoch."""
    torch.manual_seed(seed)
    x, y = (torch.from_numpy(values).float() for values in train)  # (n, width) and (n,)
    model = Forecaster(width=x.shape[1], n_hidden=32)
    model.measure(x, y)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    history = []
    best = copy.deepcopy(model.state_dict())  # stays if no epoch has a finite error
    for _ in range(n_epochs):
        model.train()
        for chosen in torch.randperm(len(x)).split(batch_size):
            loss = F.mse_loss(model(x[chosen]) / model.step_spread, y[chosen] / model.step_spread)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append([rmse(predict(model, part[0]), part[1]) for part in (train, validation)])
        if history[-1][1] == min(row[1] for row in history):
            best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return model, history


rates = (0.005, 0.02, 0.08)
rate_errors = {}
for learning_rate in rates:
    _, history = fit(train, validation, seed=0, learning_rate=learning_rate)
    rate_errors[learning_rate] = min(row[1] for row in history)
    print(f"learning rate {learning_rate:5.3f}   validation {rate_errors[learning_rate]:.3f} ppm")
best_rate = min(rate_errors, key=rate_errors.get)

models = []
seed_errors = []
for seed in range(4):
    model, history = fit(train, validation, seed, learning_rate=best_rate)
    models.append(model)
    epoch = int(np.argmin([row[1] for row in history]))
    seed_errors.append(history[epoch][1])
    print(f"seed {seed}   best epoch {epoch + 1:2d}", end="   ")
    print(f"training {history[epoch][0]:.3f} ppm   validation {history[epoch][1]:.3f} ppm")

# %% [markdown]
# The rate in the middle of the row has the lowest error, but the random starts at this rate differ about
# as much as the three rates do. (Of five other starts, three would have chosen the same rate.) The table
# does show that all four runs beat the linear rule on the validation years, which also chose their epochs.
#
# ## No future in the features
#
# The most expensive mistake in forecasting is silent. Something from the future slips into the inputs,
# the errors look wonderful, and the real forecasts fail. This can be tested if we change the future by
# 1,000 ppm, because then nothing that came before may change, neither the windows up to that month nor
# the model that was trained on them.

# %%
shifted = series.copy()
shifted[years >= TEST] += 1000.0
other_inputs, other_targets, _ = windows(shifted, width)
before = when < TEST
assert np.array_equal(inputs[before], other_inputs[before])
assert np.array_equal(targets[before], other_targets[before])
first_test = np.argmax(when >= TEST)
assert np.array_equal(inputs[first_test], other_inputs[first_test])  # its target moved, its input did not

other_train = (other_inputs[split["train"]], other_targets[split["train"]])
again, _ = fit(other_train, validation, seed=0, learning_rate=best_rate)
same_model = True
for ours, others in zip(models[0].state_dict().values(), again.state_dict().values(), strict=True):
    same_model = same_model and torch.equal(ours, others)
print("windows before the shift unchanged, trained model unchanged:", same_model)

# %% [markdown]
# Now a leak, so that you know what one looks like. Somebody smooths the series first, each month averaged
# with its two neighbours, and then cuts windows. The last month of every input now contains a third of
# the target. What will the linear baseline say on the validation years?

# %%
smooth = np.convolve(series, np.ones(3) / 3, mode="same")  # (n_months,): reaches one month ahead
leaked_inputs, _, leaked_positions = windows(np.where(np.isnan(series), np.nan, smooth), width)
leaked_targets = series[leaked_positions]
leaked_when = years[leaked_positions]
known = leaked_when < VALIDATION
checked = (leaked_when >= VALIDATION) & (leaked_when < TEST)
leaked_linear = least_squares(leaked_inputs[known], leaked_targets[known])
leaked_error = rmse(leaked_linear(leaked_inputs[checked]), leaked_targets[checked])
print(f"linear, honest     {baseline_errors['linear'][1]:.3f} ppm on validation")
print(f"linear with the leak {leaked_error:.3f} ppm on validation")

# %% [markdown]
# The error falls to less than a third, and no line of the program complains. If a result is much better
# than you expected, look for a leak first.
#
# ## The test, once
#
# All choices have been made. Which method do you expect to be best on the years from 1995 on, and by how
# much?

# %%
test_errors = {name: rmse(predict_next(test[0]), test[1]) for name, predict_next in baselines.items()}
mlp_errors = [rmse(predict(model, test[0]), test[1]) for model in models]
test_errors["MLP, mean of seeds"] = float(np.mean(mlp_errors))
for name, error in test_errors.items():
    print(f"{name:20s}{error:12.3f} ppm on the test")
print("MLP, seed by seed:", [round(error, 3) for error in mlp_errors])

# %% [markdown]
# The network is far better than persistence, better than the seasonal rule, and better than the linear
# rule by a little. Is that little more than chance? The test has only seven years, and neighbouring
# months err alike, so we compute the gain for each year. Seven numbers $g_1, \dots, g_7$ with mean
# $\bar g$ and standard deviation $s$ have the 95 % interval
#
# $$\bar g \pm 2.45 \cdot \frac{s}{\sqrt 7} .$$
#
# The 2.45 comes from the *t distribution*, which replaces the 1.96 of the normal distribution (2.8) if
# the spread itself has been estimated from so few numbers. The bootstrap of lesson 3.4 (draw seven of the
# seven years again and again) does not know about this. How large is the difference? We let both methods
# find the mean of seven normal numbers, 2,000 times.

# %%
T_QUANTILE = 2.447  # for 95 % and seven numbers: from a table, or scipy.stats.t.ppf(0.975, 6)


def t_interval(values):
    """95 % interval for the mean of exactly seven numbers (..., 7): low and high."""
    if values.shape[-1] != 7:
        raise ValueError(f"the quantile is that of seven numbers, got {values.shape[-1]}")
    mean = values.mean(axis=-1)
    half = T_QUANTILE * values.std(axis=-1, ddof=1) / math.sqrt(7)
    return mean - half, mean + half


def bootstrap_interval(values, rng, n_draws=1000):
    """95 % interval for the mean of values (n,) from resampled means: low and high.

    Raises ValueError without values or draws.
    """
    if len(values) == 0 or n_draws < 1:
        raise ValueError(f"no interval from {n_draws} draws of {len(values)} values")
    means = rng.choice(values, size=(n_draws, len(values))).mean(axis=1)  # (n_draws, n) -> (n_draws,)
    return np.quantile(means, [0.025, 0.975])


rng = np.random.default_rng(0)
sevens = rng.normal(size=(2000, 7))
t_low, t_high = t_interval(sevens)  # (2000, 7) -> (2000,) and (2000,)
t_coverage = np.mean((t_low < 0) & (t_high > 0))
boot_intervals = np.array([bootstrap_interval(seven, rng, n_draws=300) for seven in sevens])  # (2000, 2)
boot_coverage = np.mean((boot_intervals[:, 0] < 0) & (boot_intervals[:, 1] > 0))
print(f"an interval of 95 % holds the true mean: t {t_coverage:.1%}, bootstrap {boot_coverage:.1%}")

linear_squares = (linear(test[0]) - test[1]) ** 2  # (n_test,)
mlp_squares = np.mean([(predict(model, test[0]) - test[1]) ** 2 for model in models], axis=0)  # (n_test,)
test_years = when[split["test"]].astype(int)  # (n_test,)
gains = linear_squares - mlp_squares
gain_by_year = np.array([gains[test_years == year].mean() for year in np.unique(test_years)])  # (7,)
low, high = t_interval(gain_by_year)
boot_low, boot_high = bootstrap_interval(gain_by_year, rng)
print(f"gain in squared error, mean of the years: {gain_by_year.mean():.4f} ppm²")
print(f"95 % interval by t {low:.4f} to {high:.4f}, by bootstrap {boot_low:.4f} to {boot_high:.4f}")
print(f"years in which the network was better: {np.sum(gain_by_year > 0)} of {len(gain_by_year)}")

# %% [markdown]
# With seven numbers the bootstrap's interval is too narrow, and it misses the truth far more often than
# it promises. On our seven years this matters, because the bootstrap puts its interval almost wholly
# above zero, and the t interval holds zero well inside. So we report that the network was better in most
# of the years, by a little, and that seven years are too few to be sure.
#
# ## Further ahead, with a band
#
# To look two years ahead, the model is fed its own forecasts: it predicts a month, the month is
# appended, and it predicts the next. How wide must a band around the forecast be to hold the truth nine
# times out of ten? We find out by counting. From every month of the validation years we forecast, and
# look at the sizes of the errors at each distance. Sort the sizes of $n$ old errors. They leave $n + 1$
# gaps for a new one: below the smallest, between two neighbours, above the largest. If the new error is
# of the same kind as the old ones, each gap is equally likely. With $n = 9$ there are ten gaps, nine of
# them below the largest size, so a band as wide as the largest size holds nine times out of ten. In
# general the width is the size with rank $\lceil 0.9\,(n + 1) \rceil$. Will this band keep its promise on
# the test years, next month and in two years?


# %%
def roll(model, history, n_steps):
    """Forecasts of the next `n_steps` values after each row of history (n, width); returns (n, n_steps)."""
    known = history.copy()
    for _ in range(n_steps):
        known = np.column_stack([known, predict(model, known[:, -history.shape[1] :])])  # (n, width + steps)
    return known[:, history.shape[1] :]


def half_widths(errors, coverage=0.9):
    """For each column of errors (n, n_steps), the size that a new error exceeds with 1 - coverage at most.

    The rank ⌈(n + 1) · coverage⌉ of n sizes (Vovk et al. 2005), for errors of which no order is special.
    Raises ValueError if n is too small for it.
    """
    rank = math.ceil((len(errors) + 1) * coverage)
    if rank > len(errors):
        raise ValueError(f"{len(errors)} errors are too few for a coverage of {coverage}")
    return np.sort(np.abs(errors), axis=0)[rank - 1]


def paths(series, years, start, stop, width, n_steps):
    """(history, future) windows whose future begins at `start` or later and ends before `stop`."""
    long, last, at = windows(series, width + n_steps - 1)
    whole = np.column_stack([long, last])  # (n, width + n_steps)
    begin = years[at - n_steps + 1]  # `at` is the place of the last month, so this is the first of the future
    chosen = (begin >= start) & (years[at] < stop)
    return whole[chosen, :width], whole[chosen, width:]


n_steps = 24
forecaster = models[0]
valid_history, valid_future = paths(series, years, VALIDATION, TEST, width, n_steps)
band = half_widths(roll(forecaster, valid_history, n_steps) - valid_future)  # (n_steps,)
test_history, test_future = paths(series, years, TEST, 9999, width, n_steps)
forecast = roll(forecaster, test_history, n_steps)  # (n_paths, n_steps)
held = (np.abs(forecast - test_future) <= band).mean(axis=0)  # (n_paths, n_steps) -> (n_steps,)
bias = (forecast - test_future).mean(axis=0)  # (n_paths, n_steps) -> (n_steps,)
climbs = {}
for name, (start, stop) in parts.items():
    chosen = (years[12:] >= start) & (years[12:] < stop)
    climbs[name] = float(np.nanmean((series[12:] - series[:-12])[chosen]))  # against a year before
print("months ahead        " + "".join(f"{step:8d}" for step in (1, 6, 12, 24)))
for name, values in {"half width (ppm)": band, "held on the test": held, "mean error (ppm)": bias}.items():
    print(f"{name:20s}" + "".join(f"{values[step - 1]:8.2f}" for step in (1, 6, 12, 24)))
print("climb (ppm per year):", {name: round(climb, 2) for name, climb in climbs.items()})
print(f"the band was counted from {len(valid_future)} paths, which overlap")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
tested = years >= TEST
left.plot(years[tested], series[tested], "o", color="C0", fillstyle="none", markersize=3, label="measured")
for begin in range(0, len(forecast), n_steps):
    months = years[tested][begin : begin + n_steps]
    lower = forecast[begin] - band
    upper = forecast[begin] + band
    left.plot(months, forecast[begin], color="C1", label="forecast and band" if begin == 0 else None)
    left.fill_between(months, lower, upper, color="C1", alpha=0.25, linewidth=0)
left.set(xlabel="year", ylabel="CO₂ (ppm)", title="Forecasts of two years, test years")
left.legend(loc="upper left")
right.plot(np.arange(1, n_steps + 1), held, "o-", color="C1", label="held on the test")
right.axhline(0.9, color="0.7", linewidth=0.8, zorder=0)
right.text(n_steps, 0.91, "promised", ha="right", va="bottom", color="0.3")
right.set(xlabel="months ahead", ylabel="share inside the band", ylim=(0, 1.05))
right.set_title("How often the band held")
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# Next month the band keeps its promise. From half a year ahead on it mostly holds less often than
# promised, and two years ahead it fails about one time in four. On the left the forecasts fall behind the
# measurements towards their ends, and the table says by how much. A likely reason is in its last line but
# one: in the test years carbon dioxide climbed faster than in the training and validation years. Two
# other facts weaken the promise itself. The band was counted on the years that also chose the epoch, and
# the paths overlap, so they are far fewer independent errors than their number says. A band counted from
# past errors promises that the future will be like the past. So print beside such a band how often it
# really held.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert lowest_tested > level_known, "the test lies above everything seen in training"
assert correlation > 0.95, "the changes of the months are alike in the 1960s and the 1980s"
for earlier, later in (("persistence", "seasonal"), ("seasonal", "linear")):
    assert baseline_errors[later][1] < baseline_errors[earlier][1], f"{later} beats {earlier} on validation"
assert baseline_errors["seasonal"][1] < 0.4 * baseline_errors["persistence"][1], "a year of memory helps most"
assert rates[0] < best_rate < rates[-1], "the chosen learning rate lies inside its row"
spread_of_rates = max(rate_errors.values()) - min(rate_errors.values())
assert max(seed_errors) - min(seed_errors) > 0.4 * spread_of_rates, "starts differ about as much as rates do"
assert max(seed_errors) < baseline_errors["linear"][1], "each run beats the linear rule on validation"
assert same_model, "a change of the future does not reach the trained model"
assert leaked_error < baseline_errors["linear"][1] / 3, "a leak makes the error less than a third"
assert max(mlp_errors) < test_errors["seasonal"], "the network beats the seasonal rule for every seed"
assert test_errors["seasonal"] < test_errors["persistence"], "the seasonal rule beats persistence on the test"
mlp_lead = test_errors["linear"] - test_errors["MLP, mean of seeds"]
assert 0 < mlp_lead < 0.1, "on the test the network is better than the linear rule by a little"
assert abs(t_coverage - 0.95) < 0.02, "the t interval of seven numbers keeps its promise"
assert boot_coverage < 0.92, "the bootstrap of seven numbers does not"
assert np.sum(gain_by_year > 0) >= 4, "the network was better in most of the test years"
assert low < 0 < high, "the t interval of the gain holds zero"
assert boot_low > 0.3 * low, "the bootstrap puts its interval almost wholly above zero"
assert held[0] > 0.85, "next month the band keeps its promise"
assert held[5:].mean() < 0.9, "from half a year ahead on it holds less often than promised"
assert held[-6:].mean() < 0.85, "in two years it does not"
assert bias[-1] < -0.5, "two years ahead the forecasts are too low"
assert climbs["test"] > max(climbs["train"], climbs["validation"]), "in the test years the climb is faster"
assert len(series[tested]) == len(test_future) + n_steps - 1, "no month of the test years is missing"

# %% [markdown]
# ## What to remember
#
# - Data in time are split by time: train on the past, choose on the next years, test on the last.
# - Simple rules come first, and a network's gain is reported beside them, with an interval that fits the
#   number of independent years.
# - Predict the change if the level climbs, and keep the scaling inside the model as buffers.
# - Test for leaks: change the future, and nothing before it may change.
# - A band counted from past errors promises a future like the past. Say how often it held.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let all methods see 13 months instead of 24: set `width` to 13. Which numbers in the validation
#    column of the table of baselines will change, and which cannot?
# 2. Smooth over five months instead of three: `np.ones(5) / 5` in the leak. The last input month then
#    reaches two months ahead. Is the error with the leak larger or smaller than before?
# 3. From a blank cell: subtract from each forecast for the test the mean error that the validation paths
#    have at the same distance, and compare how often the band holds in two years with the figure's last
#    point. Is the result still a test?
#
# ## Sources
#
# - C. D. Keeling et al., "Atmospheric carbon dioxide variations at Mauna Loa Observatory, Hawaii",
#   _Tellus_ 28, 1976: a season that repeats, on a level that climbs. Reproduced: "the changes of the
#   months are alike".
# - R. J. Hyndman, G. Athanasopoulos, _Forecasting: principles and practice_, 3rd edition, 2021, chapter
#   5: baselines, rolling origins.
# - V. Vovk, A. Gammerman, G. Shafer, _Algorithmic learning in a random world_, 2005: bands by counting.
#   Reproduced: test_half_widths_cover_what_they_promise.
# - Student, "The probable error of a mean", _Biometrika_ 6, 1908: the t distribution. Reproduced: "the t
#   interval of seven numbers keeps its promise".
# - C. D. Keeling and T. P. Whorf, weekly CO₂ at Mauna Loa, from the package _statsmodels_: the data.
