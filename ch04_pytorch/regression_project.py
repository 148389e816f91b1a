# %% [markdown]
# # 4.6 A regression project: next month's air
#
# On a volcano in Hawaii, far from any chimney, the air has been measured since 1958. Every spring the
# carbon dioxide stands high, every autumn, when the northern forests have drunk from it, low, and every
# year the whole wave stands a little higher. Given the past, what will next month's value be, and how
# sure can we be? To predict a number, where a classifier names a class, is called *regression*.
#
# **You will build** a second full cycle, so that the pattern sticks: a split by time, baselines first,
# scaling inside the model, an error in real units, and a forecast with an honest band. **You need**
# splits (3.1), least squares (2.5) and the training cycle (4.4).

# %%
import copy
import csv
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## From weeks to months
#
# The file has a value a week, in *parts per million* (ppm): of a million molecules of dry air, how many
# are CO₂. Some weeks are missing. We average each calendar month, and leave a month without a measurement
# empty. Filling it from its neighbours would be tempting, but the later neighbour is the future.


# %%
def monthly_means(dates, values):
    """Mean value of each month from the first to the last; dates: "YYYYMMDD" texts.

    Returns (series, first): NaN where a month has no value, and the first month as months since year 0.
    Raises ValueError where there are not as many values as dates.
    """
    if len(dates) != len(values):
        raise ValueError(f"{len(dates)} dates but {len(values)} values")
    months = np.array([12 * int(date[:4]) + int(date[4:6]) - 1 for date in dates])  # (n,)
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
# ## The split follows time
#
# Shuffling would put March into training and the Aprils around it into the test: nearly the answer. We
# train on what came first, choose on the years after, and test on the last years. The test lies above
# everything seen in training, so the model cannot look up a level: it has to know how the level
# *changes*. The changes are alike in every year. (To see that, the training years are enough.)

# %%
VALIDATION, TEST = 1990, 1995  # the first years of each
level_known = np.nanmax(series[years < VALIDATION])
lowest_tested = np.nanmin(series[years >= TEST])
print(f"highest level in training {level_known:.1f} ppm, lowest in the test {lowest_tested:.1f} ppm")
assert lowest_tested > level_known

change = np.diff(series)  # (n_months - 1,)
month = (first_month + 1 + np.arange(len(change))) % 12 + 1  # (n_months - 1,): 1 is January
decades = {name: (years[1:] >= name) & (years[1:] < name + 10) for name in (1960, 1980)}
typical = [[np.nanmean(change[chosen & (month == m)]) for m in range(1, 13)] for chosen in decades.values()]
print(f"correlation of the typical changes, 1960s and 1980s: {np.corrcoef(typical)[0, 1]:.3f}")
assert np.corrcoef(typical)[0, 1] > 0.95

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
parts = {"train": (0, VALIDATION), "validation": (VALIDATION, TEST), "test": (TEST, 9999)}
for (name, (start, stop)), style in zip(parts.items(), ("-", "--", ":")):
    chosen = (years >= start) & (years < stop)
    left.plot(years[chosen], series[chosen], style, label=name)
left.set(xlabel="year", ylabel="CO₂ (ppm)", title="The test lies above all training years")
left.legend()
for (decade, chosen), marker in zip(decades.items(), "o^"):
    label = f"{decade} to {decade + 9}"
    right.plot(month[chosen], change[chosen], marker, color="0.2", fillstyle="none", label=label)
right.set(xlabel="month", ylabel="change since the month before (ppm)", title="The changes repeat every year")
right.legend()
plt.show()

# %% [markdown]
# ## Windows
#
# An example is a *window*: some months in a row as input, the month after them as target. Windows that
# touch an empty month are dropped. The target's month decides which set a window belongs to, and
# everything in its input is older.


# %%
def windows(series, width):
    """(inputs, targets, positions): `width` values in a row, the value after them, and its place.

    Shapes (n, width), (n,) and (n,). Windows with a NaN are left out.
    """
    positions = np.arange(width, len(series))
    inputs = np.lib.stride_tricks.sliding_window_view(series, width)[:-1]  # (n, width)
    targets = series[positions]  # (n,)
    whole = ~np.isnan(inputs).any(axis=1) & ~np.isnan(targets)
    return inputs[whole], targets[whole], positions[whole]


tiny = windows(np.array([1.0, 2.0, 3.0, 5.0]), width=2)
print("inputs", tiny[0].tolist(), "  targets", tiny[1].tolist(), "  at", tiny[2].tolist())
assert tiny[0].tolist() == [[1, 2], [2, 3]] and tiny[1].tolist() == [3, 5] and tiny[2].tolist() == [2, 3]

width = 24
inputs, targets, positions = windows(series, width)
when = years[positions]
split = {"train": when < VALIDATION, "validation": (when >= VALIDATION) & (when < TEST), "test": when >= TEST}
print({name: int(chosen.sum()) for name, chosen in split.items()})

# %% [markdown]
# ## Baselines first
#
# *Persistence* says: next month will be like this one. *Seasonal* says: it will change as it did a year
# ago. *Linear* is least squares on the past months. None is longer than three lines, and none has
# a secret. Whoever does not beat them has built nothing.
#
# The error is the root of the mean squared error, $\sqrt{\frac1n \sum_i (\hat y_i - y_i)^2}$: it has the
# unit of the values, ppm, and weighs large misses more.


# %%
def rmse(predictions, targets):
    """Root mean squared error, in the unit of the values; raises ValueError where shapes differ."""
    if np.shape(predictions) != np.shape(targets):
        raise ValueError(f"predictions have shape {np.shape(predictions)}, targets {np.shape(targets)}")
    return float(np.sqrt(np.mean((predictions - targets) ** 2)))


def persistence(inputs):
    """The last value again; inputs: (n, width)."""
    return inputs[:, -1]


def seasonal(inputs):
    """The last value plus the change that followed it a year before; inputs: (n, width) with width > 12."""
    return inputs[:, -1] + inputs[:, -12] - inputs[:, -13]


def least_squares(inputs, targets):
    """The linear prediction of the next change from all past months relative to the last, as a function."""
    design = lambda x: np.column_stack([x[:, :-1] - x[:, -1:], np.ones(len(x))])
    weights = np.linalg.lstsq(design(inputs), targets - inputs[:, -1])[0]  # (width,)
    return lambda x: x[:, -1] + design(x) @ weights  # (n, width) @ (width,) -> (n,)


year = np.array([[1.0, 2, 4, 3, 1, 0, -1, -2, -1, 0, 1, 1, 2]])  # thirteen months; after the first came +1
assert persistence(year) == 2 and seasonal(year) == 2 + (2 - 1)

linear = least_squares(inputs[split["train"]], targets[split["train"]])
methods = {"persistence": persistence, "seasonal": seasonal, "linear": linear}
errors = {
    name: {part: rmse(f(inputs[c]), targets[c]) for part, c in split.items()} for name, f in methods.items()
}
print(f"{'error (ppm)':20s}" + "".join(f"{part:>12s}" for part in split))
for name, row in errors.items():
    print(f"{name:20s}" + "".join(f"{value:12.3f}" for value in row.values()))

# %% [markdown]
# ## A model that takes ppm and gives ppm
#
# The network sees each past month relative to the last one, and predicts the change to the next. So the
# climb of the level never reaches it. Centres and spreads belong to the model: as buffers (4.3) they are
# saved with it, and whoever uses it hands over ppm and gets ppm. They are measured on training windows
# only.


# %%
class Forecaster(nn.Module):
    """Next value from the last `width`: an MLP on standardized differences, with its scaling inside.

    inputs: (B, width) in the unit of the series; the result has shape (B,) and the same unit.
    """

    def __init__(self, width, n_hidden):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(width - 1, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1))
        for name, size in {
            "center": width - 1,
            "spread": width - 1,
            "step_center": 1,
            "step_spread": 1,
        }.items():
            self.register_buffer(name, torch.zeros(size))

    def measure(self, inputs, targets):
        """Set the scaling from training windows."""
        past, step = inputs[:, :-1] - inputs[:, -1:], targets - inputs[:, -1]  # (B, width - 1) and (B,)
        self.center.copy_(past.mean(dim=0))
        self.spread.copy_(past.std(dim=0))
        self.step_center.copy_(step.mean())
        self.step_spread.copy_(step.std())

    def forward(self, inputs):
        past = inputs[:, :-1] - inputs[:, -1:]  # (B, width - 1) - (B, 1)
        step = self.network((past - self.center) / self.spread)[:, 0]  # (B, width - 1) -> (B, 1) -> (B,)
        return inputs[:, -1] + step * self.step_spread + self.step_center


# %% [markdown]
# The training cycle of lesson 4.4, with its validation and its best epoch. The loss is the squared error
# in units of the typical change, so that the learning rate does not depend on the unit. Whole tensors in
# float32: values near 350 leave it a grain of about 0.00003 ppm, far below what is measured.


# %%
def predict(model, inputs):
    """Predictions of a forecaster for a NumPy array (n, width), as a NumPy array (n,)."""
    with torch.no_grad():
        return model(torch.from_numpy(inputs).float()).double().numpy()


def fit(train, validation, seed, n_epochs=60, learning_rate=0.02, batch_size=32):
    """A forecaster trained on (inputs, targets), at its best epoch on `validation`; and errors by epoch."""
    torch.manual_seed(seed)
    x, y = (torch.from_numpy(values).float() for values in train)  # (n, width) and (n,)
    model = Forecaster(width=x.shape[1], n_hidden=32)
    model.measure(x, y)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    history, best = [], None
    for _ in range(n_epochs):
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


train, validation, test = ((inputs[chosen], targets[chosen]) for chosen in split.values())
models = []
for seed in range(4):
    model, history = fit(train, validation, seed)
    models.append(model)
    best = int(np.argmin([row[1] for row in history]))
    print(f"seed {seed}   best epoch {best + 1:2d}", end="   ")
    print(f"training {history[best][0]:.3f} ppm   validation {history[best][1]:.3f} ppm")

# %% [markdown]
# ## No future in the features
#
# The most expensive mistake in forecasting is silent: something from the future slips into the input, the
# errors look wonderful, and the real forecasts fail. So we test it as one tests a lock: change the
# future, and nothing that came before may move. Neither the windows up to that month, nor the model
# trained on them.

# %%
shifted = series.copy()
shifted[years >= TEST] += 1000.0
other_inputs, other_targets, _ = windows(shifted, width)
before = when < TEST
assert np.array_equal(inputs[before], other_inputs[before]) and np.array_equal(
    targets[before], other_targets[before]
)
first_test = np.argmax(when >= TEST)
assert np.array_equal(inputs[first_test], other_inputs[first_test])  # its target moved, its input did not

again, _ = fit((other_inputs[split["train"]], other_targets[split["train"]]), validation, seed=0)
same = all(
    torch.equal(a, b)
    for a, b in zip(again.state_dict().values(), models[0].state_dict().values(), strict=True)
)
print("windows before the shift unchanged, trained model unchanged:", same)
assert same

# %% [markdown]
# And here is a leak, so that you know its smile. Somebody smooths the series first, each month averaged
# with its two neighbours, and then cuts windows. The last month of every input now contains the target.

# %%
smooth = np.convolve(series, np.ones(3) / 3, mode="same")  # (n_months,): reaches one month ahead
leaked = np.where(np.isnan(series), np.nan, smooth)
leaked_inputs, _, leaked_positions = windows(leaked, width)
leaked_targets, leaked_when = series[leaked_positions], years[leaked_positions]
known = leaked_when < VALIDATION
cheat = least_squares(leaked_inputs[known], leaked_targets[known])
leaked_error = rmse(cheat(leaked_inputs[leaked_when >= TEST]), leaked_targets[leaked_when >= TEST])
print(f"linear: honest {errors['linear']['test']:.3f} ppm, on the smoothed series {leaked_error:.3f} ppm")
assert leaked_error < 0.8 * errors["linear"]["test"]

# %% [markdown]
# ## The test, once
#
# All methods on the held-out years. For the network: the mean error over the seeds, and each one's.

# %%
test_errors = [rmse(predict(model, test[0]), test[1]) for model in models]
errors["MLP, mean of seeds"] = {
    part: float(np.mean([rmse(predict(model, inputs[c]), targets[c]) for model in models]))
    for part, c in split.items()
}
print(f"{'error (ppm)':20s}" + "".join(f"{part:>12s}" for part in split))
for name, row in errors.items():
    print(f"{name:20s}" + "".join(f"{value:12.3f}" for value in row.values()))
print("each seed on the test:", [round(error, 3) for error in test_errors])
assert errors["MLP, mean of seeds"]["test"] < errors["seasonal"]["test"] < errors["persistence"]["test"]

# %% [markdown]
# The network beats persistence and the seasonal rule, and linear least squares by a little. How little is
# too little? The test has a few dozen months, so we ask how the difference behaves under another draw of
# months: the *bootstrap* of lesson 3.4, on whole years, since neighbouring months err alike. If the
# interval holds zero, the gain may be luck.

# %%
rng = np.random.default_rng(0)
squares = {"linear": (linear(test[0]) - test[1]) ** 2}  # (n_test,)
squares["MLP"] = np.mean([(predict(model, test[0]) - test[1]) ** 2 for model in models], axis=0)  # (n_test,)
gains, test_years = squares["linear"] - squares["MLP"], when[split["test"]].astype(int)  # each (n_test,)
gain_by_year = np.array([gains[test_years == year].mean() for year in np.unique(test_years)])  # (n_years,)
draws = rng.choice(gain_by_year, size=(10_000, len(gain_by_year))).mean(axis=1)  # (10000,)
low, high = np.quantile(draws, [0.05, 0.95])
print(f"mean gain in squared error {gain_by_year.mean():.4f} ppm², 90 % interval {low:.4f} to {high:.4f}")
print("zero is inside: it may be luck" if low < 0 < high else "zero is outside: hardly luck")
print(f"years in which the network was better: {np.sum(gain_by_year > 0)} of {len(gain_by_year)}")
assert abs(errors["linear"]["test"] - errors["MLP, mean of seeds"]["test"]) < 0.1  # a little, either way

# %% [markdown]
# ## Further ahead, with a band
#
# To look two years ahead, the model is fed its own forecasts: predict a month, append it, predict the
# next. Errors add up on the way. How wide must a band be, to hold the truth nine times out of ten? We do
# not trust a formula, we count: from every month of the validation years we forecast, and take, for each
# distance, the error that nine in ten did not exceed.


# %%
def roll(model, history, n_steps):
    """Forecasts of the next `n_steps` values after each row of history (n, width); returns (n, n_steps)."""
    known = history.copy()
    for _ in range(n_steps):
        known = np.column_stack([known, predict(model, known[:, -history.shape[1] :])])  # (n, width + steps)
    return known[:, history.shape[1] :]


def half_widths(errors, coverage=0.9):
    """For each column of errors (n, n_steps), the size that a share `coverage` of them does not exceed.

    The rank ⌈(n + 1) · coverage⌉ of n sizes: the correction for a sample of n (Vovk et al. 2005).
    Raises ValueError where n is too small for it.
    """
    rank = math.ceil((len(errors) + 1) * coverage)
    if rank > len(errors):
        raise ValueError(f"{len(errors)} errors are too few for a coverage of {coverage}")
    return np.sort(np.abs(errors), axis=0)[rank - 1]


def paths(series, years, start, stop, width, n_steps):
    """(history, future) windows whose future begins at `start` or later and ends before `stop`."""
    long, last, at = windows(series, width + n_steps - 1)
    whole = np.column_stack([long, last])  # (n, width + n_steps)
    begin = years[at - n_steps + 1]
    chosen = (begin >= start) & (years[at] < stop)
    return whole[chosen, :width], whole[chosen, width:]


n_steps, model = 24, models[0]
history, future = paths(series, years, VALIDATION, TEST, width, n_steps)
band = half_widths(roll(model, history, n_steps) - future)  # (n_steps,)
test_history, test_future = paths(series, years, TEST, 9999, width, n_steps)
forecast = roll(model, test_history, n_steps)  # (n_paths, n_steps)
inside = np.abs(forecast - test_future) <= band  # (n_paths, n_steps)
print(f"{'months ahead':20s}" + "".join(f"{step:12d}" for step in (1, 6, 12, 24)))
print(f"{'half width (ppm)':20s}" + "".join(f"{band[step - 1]:12.2f}" for step in (1, 6, 12, 24)))
print(f"{'held on the test':20s}" + "".join(f"{inside[:, step - 1].mean():12.2f}" for step in (1, 6, 12, 24)))

# %% [markdown]
# One month ahead the band keeps its promise. Two years ahead it does not, and the reason stands in the
# mean error: the forecasts are too low. In the test years CO₂ climbed faster than in the years that the
# network and the band have seen. A band counted from past errors is honest about the past; it promises
# that the future will be like it. So print how often it held, beside it.

# %%
bias = (forecast - test_future).mean(axis=0)  # (n_steps,)
held = inside.mean(axis=0)  # (n_steps,)
print(f"mean error one month ahead {bias[0]:.2f} ppm, two years ahead {bias[-1]:.2f} ppm")
assert held[0] > 0.85 and held[-6:].mean() < 0.85 and bias[-1] < -0.5

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
tested = years >= TEST
left.plot(years[tested], series[tested], "o", color="C0", fillstyle="none", markersize=3, label="measured")
for begin in range(0, len(forecast), n_steps):
    months = years[tested][begin : begin + n_steps]
    label = "forecast and band" if begin == 0 else None
    left.plot(months, forecast[begin], color="C1", label=label)
    left.fill_between(
        months, forecast[begin] - band, forecast[begin] + band, color="C1", alpha=0.25, linewidth=0
    )
left.set(xlabel="year", ylabel="CO₂ (ppm)", title="Two-year forecasts fall behind the climb")
left.legend(loc="upper left")
right.plot(np.arange(1, n_steps + 1), held, "o-", color="C1", label="held on the test")
right.axhline(0.9, color="0.7", linewidth=0.8, zorder=0)
right.text(n_steps, 0.91, "promised", ha="right", va="bottom", color="0.3")
right.set(xlabel="months ahead", ylabel="share inside the band", ylim=(0, 1.05))
right.set(title="The promise holds next month, not in two years")
plt.show()

# %% [markdown]
# ## What to remember
#
# - Data in time is split by time. Train on the past, choose on the next years, test on the last.
# - Persistence, season and a straight line come first. A network's gain is reported beside them, with its
#   uncertainty.
# - Predict the change, and the climb of the level is no extrapolation. Keep the scaling inside the model.
# - Test for leaks as for locks: shift the future, nothing before it may move.
# - A band counted from past errors promises a future like the past. Say how often it held.
#
# ## Try it
#
# Predict first, then change the code and run again.
#
# 1. Split at random instead of by time. How good do the methods look now, and which gains most?
# 2. Let the network see and predict the level itself, standardised on the training years. What does it
#    say in the test?
# 3. Add to each forecast the mean error of the last twelve months at that distance. Does the band hold
#    now? Are you still allowed to call these years a test?
#
# ## Sources
#
# - C. D. Keeling et al., "Atmospheric carbon dioxide variations at Mauna Loa Observatory, Hawaii",
#   *Tellus* 28, 1976.
# - R. J. Hyndman, G. Athanasopoulos, *Forecasting: principles and practice*, 3rd edition, 2021, chapter
#   5: baselines, rolling origins.
# - V. Vovk, A. Gammerman, G. Shafer, *Algorithmic learning in a random world*, 2005: bands by counting.
# - C. D. Keeling and T. P. Whorf, weekly CO₂ at Mauna Loa, from the package *statsmodels*: the data.
