# %% [markdown]
# # 1.4 The life of a project: will it rain tomorrow?
#
# A market stall in Seattle decides every evening whether to put up its rain cover for the next day. Could
# a program that learns help with this decision? Training it is the part that everybody talks about, and
# it will take a second. Around it lies the work that decides whether the project is any good, namely to
# ask the right question, to look at the data, to judge fairly, and to watch what happens in use. The
# whole is called the *life cycle* of a project.
#
# **You will see** one small real project go all the way round, from the question to a model in use. On
# the way it meets a rival that learns nothing, a result that is too good to be true, and a summer. **You
# need** training and test sets (1.1), the neuron and its bias (1.2), and supervised learning (1.3). You
# may leave the code folded.

# %% [markdown]
# ## On paper first
#
# Putting up the cover costs two coins, which is an hour's work, and goods that get wet cost ten. If the
# forecast says 30 %, then on ten such evenings it will rain on about three of the days that follow:
#
# | chance of rain | ten days with the cover | ten days without it | better |
# | ---: | ---: | ---: | --- |
# | 10 % | 20 coins | 1 × 10 = 10 coins | no cover |
# | 20 % | 20 coins | 2 × 10 = 20 coins | no difference |
# | 30 % | 20 coins | 3 × 10 = 30 coins | cover |
# | 50 % | 20 coins | 5 × 10 = 50 coins | cover |
#
# So the stall should put up its cover long before rain is more likely than not. The chance above which it
# pays is 20 %, two coins divided by ten. Such a limit is a threshold (1.1), and it follows from what the
# two mistakes cost: a cover in vain is cheap, wet goods are dear.
#
# ## The question and the data
#
# "Predict the weather" is no question yet. Ours is whether it will rain tomorrow, asked this evening, so
# that we can decide about the cover. With the question comes a limit, because only what is known this
# evening may be used.
#
# The data are the record of a weather station for every day of four years. (Another town's record of these
# years works, too, if its columns have the same names; 3.1 says what a file from Excel needs.) Before we do
# anything with the data we look at them. In which months will the cover matter?

# %%
# Draws four years of daily temperatures, and how often it rained in each month of the year.
import csv
import datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent

with open(HERE / "data" / "seattle_weather.csv", encoding="utf-8") as file:
    days = list(csv.DictReader(file))
COLUMNS = ("date", "precipitation", "temp_max", "temp_min", "wind", "weather")
if missing := set(COLUMNS) - set(days[0]):
    raise ValueError(f"the record has no columns {sorted(missing)}, only {list(days[0])}")
amount = np.array([float(day["precipitation"]) for day in days])  # (n_days,): mm
warmest = np.array([float(day["temp_max"]) for day in days])  # (n_days,): °C
coldest = np.array([float(day["temp_min"]) for day in days])  # (n_days,): °C
wind = np.array([float(day["wind"]) for day in days])  # (n_days,): m/s
dates = [datetime.date.fromisoformat(day["date"].replace("/", "-")) for day in days]
month = np.array([date.month for date in dates])  # (n_days,)
year = np.array([date.year for date in dates])  # (n_days,)
rained = amount > 0  # (n_days,)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
rainy_share = np.array([rained[month == number].mean() for number in range(1, 13)])  # (12,)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=[1.6, 1])
left.plot(dates, warmest, color="C0", linewidth=0.6)
left.set_xticks([datetime.date(number, 1, 1) for number in range(2012, 2016)], range(2012, 2016))
left.set(ylabel="highest temperature of the day (°C)", title=f"{len(days):,} days")
right.bar(MONTHS, 100 * rainy_share, color="C0")
right.set(ylabel="days with rain (%)", title="Rain in each month of the year")
right.tick_params(axis="x", rotation=90)
plt.show()

# %% [markdown]
# Rain in Seattle has a season, which we will need to remember: in the winter months it rains on more than
# half of the days, and in July on about one in ten.
#
# ## Preparation: what do the entries mean?
#
# The record holds a word for each day, such as "rain", and the water in the gauge. One would expect that
# they agree, so we count.

# %%
# Draws, for each word in the record, on how many days the gauge was wet and on how many it was dry.
words = np.array([day["weather"] for day in days])
WORDS = ("sun", "fog", "drizzle", "rain", "snow")
wet_days = np.array([np.sum(rained[words == word]) for word in WORDS])
dry_days = np.array([np.sum(~rained[words == word]) for word in WORDS])
gaps = {(later - earlier).days for earlier, later in zip(dates[:-1], dates[1:])}

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.bar(WORDS, wet_days, color="C0", label="water in the gauge")
ax.bar(WORDS, dry_days, bottom=wet_days, color="white", edgecolor="C0", hatch="//", label="gauge dry")
ax.set(xlabel="word in the record", ylabel="days", title="Words and measured rain")
ax.legend()
plt.show()
print(f'"sun" although water fell: {wet_days[0]} days; "rain" with a dry gauge: {dry_days[3]} days')
print(f"days from one entry to the next: {gaps}")

# %% [markdown]
# Some days are called "sun" although water fell, and some "rain" with a dry gauge. Perhaps the word
# describes noon and the gauge the whole day, but nobody can ask any more. So we have to decide what
# "rain" means in this project, and write down that it is water in the gauge. That is the label, and every
# number from here on depends on it. The last line shows that no day is missing and none is there twice.
#
# ## Training, validation and test sets
#
# Before any learning we put data aside. So far (1.1, 1.2) we dealt out training and test sets at random.
# Here that would be a mistake, because the learner could practise on days that come after the test, and
# the stall will never be so lucky. So we cut along time, and the first two years become the training set.
# With the third we compare and decide, and such data are called the *validation set*. The fourth is the
# test set, and it stays locked until everything is decided, because what is chosen on data looks better
# on them than it is. (We have looked at the seasons of all four years already. That chooses nothing here,
# but a strict project would lock the last year away before the first look.)
#
# Each evening the learner may use six features: whether it rained today and how much, whether it rained
# yesterday, the highest and the lowest temperature of today, and the wind.

# %%
# Draws the rainy days of every month, and which years are for training, for validation and for the test.
today = np.arange(1, len(days) - 1)  # every day that has a yesterday and a tomorrow
tomorrow = rained[today + 1]  # (n,): the label
FEATURES = ("rain today", "amount", "rain yesterday", "highest", "lowest", "wind")
# log1p(x) is log(1 + x): it grows slowly, so that one very wet day does not outweigh all the others
features = np.column_stack(
    [rained[today], np.log1p(amount[today]), rained[today - 1], warmest[today], coldest[today], wind[today]]
)  # (n, 6)
tomorrow_month = month[today + 1]  # (n,)
train = np.isin(year[today + 1], (2012, 2013))  # (n,)
validation = year[today + 1] == 2014  # (n,)
test = year[today + 1] == 2015  # (n,)
month_index = 12 * (year[today + 1] - 2012) + tomorrow_month - 1  # (n,): 0 to 47

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
for name, part, color, hatch in (
    ("training", train, "C0", ""),
    ("validation", validation, "C1", "//"),
    ("test", test, "C2", ".."),
):
    rainy_days = np.bincount(month_index[part & tomorrow], minlength=48)  # (48,)
    ax.bar(np.arange(48), rainy_days, color=color, hatch=hatch, edgecolor="white", label=name)
ax.set(xticks=[0, 12, 24, 36], xticklabels=[2012, 2013, 2014, 2015], ylabel="rainy days in the month")
ax.set(ylim=(0, 35), title="Three sets, cut along time")
ax.legend(ncols=3)
plt.show()

# %% [markdown]
# The test set lies later in time than the other two, as every day on which the model is used will.
#
# ## A baseline, and a first result
#
# Before training, ask what can be had without any learning. One could always say "dry", or say the same
# as today, because weather lasts. Such a rival is called a *baseline*, and a learner that does not beat
# it has learned nothing of use, however good its accuracy sounds.
#
# Our learner is a single neuron with six weights and a bias (1.2). Its answer should be a chance, so the
# total goes through a curve called the *sigmoid*: a total of 0 becomes 50 %, +2 becomes 88 %, −2 becomes
# 12 %. It says "rain" if the chance is above one half. Which of the three does best in the third year?


# %%
# Draws the accuracy of two baselines and of the learner on the validation set.
def chance(x, model):
    """The model's chance that the label is true, for features x (n, d); returns (n,)."""
    weight, bias, mean, scale = model
    total = (x - mean) / scale @ weight + bias  # (n, d) @ (d,) -> (n,)
    return 1 / (1 + np.exp(-total))


def fit(x, y, n_steps=1000, learning_rate=0.5):
    """A neuron trained on features x (n, d) and labels y (n,), True or False: (weight, bias, mean, scale).

    Every feature is counted from its mean, in units of its standard deviation, so that the weights can be
    compared. A feature that never changes gets NaN.
    """
    weight = np.zeros(x.shape[1])
    bias = 0.0
    mean = x.mean(axis=0)  # (d,)
    scale = x.std(axis=0)  # (d,)
    for _ in range(n_steps):
        # (n,): the slope of the loss along each total is the chance minus the truth (3.2 derives it)
        grad_total = (chance(x, (weight, bias, mean, scale)) - y) / len(y)
        weight = weight - learning_rate * grad_total @ ((x - mean) / scale)  # (n,) @ (n, d) -> (d,)
        bias = bias - learning_rate * grad_total.sum()
    return weight, bias, mean, scale


learner = fit(features[train], tomorrow[train])
says_rain = {
    "always dry": np.zeros(len(today), dtype=bool),
    "same as today": rained[today],
    "the learner": chance(features, learner) > 0.5,
}
accuracy = {name: np.mean(says[validation] == tomorrow[validation]) for name, says in says_rain.items()}
only_learner = np.sum((says_rain["the learner"] == tomorrow)[validation & (rained[today] != tomorrow)])
only_baseline = np.sum((says_rain["the learner"] != tomorrow)[validation & (rained[today] == tomorrow)])

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
bars = ax.barh(list(accuracy), [100 * share for share in accuracy.values()], color=["C0", "C0", "C1"])
ax.bar_label(bars, fmt="%.0f", padding=3)
ax.invert_yaxis()
ax.set(xlim=(0, 100), xlabel="validation accuracy (%)", title="Two baselines and the learner")
plt.show()
print(f"days on which only the learner is right: {only_learner}; only the baseline: {only_baseline}")

# %% [markdown]
# The learner beats "always dry" by far, and a report that showed no other baseline would have called it a
# success. But it does not beat "same as today". The two disagree on a few dozen days only, and the
# baseline is right on a few more of those, which may be luck. Such a disappointment is ordinary, and we
# will come back to what the learner can do and the baseline cannot.
#
# ## Too good to be true: a data leak
#
# A colleague has the idea to use the word in the record as a feature, too, since "sun" or "rain" should
# say a lot about the weather. We repeat the comparison on the third year (left bar), and then we let the
# new learner work as it would in use, in the evening (right bar). What do you expect of the two?

# %%
# Draws the accuracy of the learner, and of one that also uses a word, in the comparison and in use.
is_word = words[:, None] == np.array(WORDS)  # (n_days, 1) == (5,) -> (n_days, 5)
with_word = np.column_stack([features, is_word[today + 1]])  # (n, 11): as the table was put together
in_use = np.column_stack([features, is_word[today]])  # (n, 11): the word that exists this evening
leaky = fit(with_word[train], tomorrow[train])
leaky_accuracy = {
    "in the comparison": np.mean((chance(with_word, leaky) > 0.5)[validation] == tomorrow[validation]),
    "in use": np.mean((chance(in_use, leaky) > 0.5)[validation] == tomorrow[validation]),
}

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
heights = [100 * share for share in leaky_accuracy.values()]
bars = ax.bar(
    list(leaky_accuracy), heights, width=0.5, color=["C1", "white"], edgecolor="C1", hatch=["", "//"]
)
ax.bar_label(bars, fmt="%.0f", label_type="center", backgroundcolor="white")
ax.axhline(100 * accuracy["the learner"], color="0.4", linestyle="--", label="the learner without the word")
ax.set(
    ylim=(0, 110), ylabel="validation accuracy (%)", title="A learner that also uses the word in the record"
)
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# On the left the accuracy has jumped, and on the right the gain is gone. The reason is whose word it was.
# In the table for the comparison, each row held the word of the day that is to be predicted, tomorrow.
# But the word "rain" is written down after it has rained. When the answer has got in among the features
# like this, it is called a *data leak*. In use, tomorrow's word does not exist yet. If today's is put in
# its place, the learner that has come to rely on the word is no better than the one without it.
#
# Leaks are seldom this plain. Networks can tell from an X-ray in which hospital it was taken, and
# hospitals have different shares of patients with pneumonia. Among images of the same hospitals that
# helps to guess right, and networks trained to find pneumonia often did worse on images from another
# hospital, where each patient who is missed goes home ill. So if a result is much better than expected,
# look for the leak before you celebrate, and ask of every entry when it was written down, and by whom.
#
# ## Is it worth using?
#
# The baseline says "rain" or "dry", but the learner says "30 %". If such chances can be believed, they
# are worth coins, because on paper the cover pays above 20 %. So we sort the days by the chance that the
# learner stated, and count how often it then rained.
#
# The fair baseline is now whatever the stall could do without us: always cover, or look at the calendar
# and cover in the months in which it rains on more than one day in five. For the third year we add up
# what each of them costs. But one year is only fifty-two weeks, so chance matters. We put together two
# thousand other years by drawing fifty-two of these weeks at random, and mark where nineteen in twenty of
# them lie (lesson 3.4 comes back to this).

# %%
# Draws nothing: it holds what a day costs, and how far a year's saving can be trusted.
cover_cost = 2
wet_cost = 10
threshold = cover_cost / wet_cost


def coins(covered, wet):
    """What each day costs: the cover if it was put up, else the wet goods if it rained; (n,) -> (n,)."""
    return np.where(covered, cover_cost, wet_cost * wet)


def weekly(saved):
    """Coins saved in each whole week; (n_days,) -> (n_weeks,)."""
    return saved[: len(saved) // 7 * 7].reshape(-1, 7).sum(axis=1)  # (n_weeks, 7) -> (n_weeks,)


def yearly(saved, rng, n_draws=2000):
    """Coins saved in a year, and the range of 95 % of years made of random weeks; saved: (n_days,)."""
    weeks = weekly(saved)  # (n_weeks,)
    if len(weeks) < 1 or n_draws < 1:
        raise ValueError(f"{len(weeks)} whole weeks and {n_draws} draws: at least one of each is needed")
    drawn = rng.choice(weeks, size=(n_draws, len(weeks)))  # (n_draws, n_weeks)
    low, high = np.percentile(drawn.mean(axis=1) * 365 / 7, [2.5, 97.5])
    return 365 * saved.mean(), low, high


# %% [markdown]
# At which threshold will the cost be lowest, and which baseline will be the hardest to beat?

# %%
# Draws whether the stated chances come true, what each threshold costs, and what is saved in a year.
month_share = np.array([tomorrow[train & (tomorrow_month == number)].mean() for number in range(1, 13)])
covered = {
    "always cover": np.ones(len(today), dtype=bool),
    "same as today": rained[today],
    "calendar": month_share[tomorrow_month - 1] > threshold,  # (12,) -> (n,)
    "the learner": chance(features, learner) > threshold,
}
daily = {name: coins(cover, tomorrow) for name, cover in covered.items()}
limits = np.arange(0, 0.9, 0.02)  # (45,)
stated = chance(features[validation], learner)
costs = [coins(stated > limit, tomorrow[validation]).mean() for limit in limits]
bins = np.digitize(stated, (0.2, 0.4, 0.6, 0.8))  # 0 to 4
said = np.array([stated[bins == place].mean() for place in range(5)])  # (5,)
came = np.array([tomorrow[validation][bins == place].mean() for place in range(5)])  # (5,)
rng = np.random.default_rng(0)
saved_2014 = {
    name: yearly((daily[name] - daily["the learner"])[validation], rng) for name in list(covered)[:3]
}

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 3.8), layout="constrained")
left.plot([0, 100], [0, 100], color="0.7", linewidth=0.8, label="if all chances came true")
left.plot(100 * said, 100 * came, "o", color="C1", label="the learner")
left.set(xlabel="stated chance of rain (%)", ylabel="days on which it rained (%)")
left.set_title("Stated chances and what came")
left.legend()
middle.plot(100 * limits, costs, color="C1", label="cover above this chance")
middle.axvline(100 * threshold, color="0.7", linewidth=0.8, zorder=0)
for (name, cost), style in zip(list(daily.items())[:3], ("-.", "--", ":")):
    middle.axhline(cost[validation].mean(), color="C0", linestyle=style, label=name)
middle.set(xlabel="threshold (%)", ylabel="coins per day", title="Cost in the third year")
middle.legend(fontsize=8, loc="best")
for place, (saving, low, high) in enumerate(saved_2014.values()):
    right.plot([low, high], [place, place], color="C0", linewidth=3)
    right.plot(saving, place, "o", color="C1")
right.axvline(0, color="0.7", linewidth=0.8, zorder=0)
right.set(yticks=range(3), yticklabels=list(saved_2014), ylim=(2.5, -0.5), xlabel="coins saved in the year")
right.set_title("The learner against each baseline")
plt.show()

weeks_2014 = {name: weekly((daily[name] - daily["the learner"])[validation]) for name in saved_2014}
print(f"{'baseline':20s}{'saved':>12s}{'from':>12s}{'to':>12s}{'better':>12s}{'worse':>12s}  (weeks)")
for name, numbers in saved_2014.items():
    n_better = np.sum(weeks_2014[name] > 0)
    n_worse = np.sum(weeks_2014[name] < 0)
    print(f"{name:20s}" + "".join(f"{number:12.0f}" for number in (*numbers, n_better, n_worse)))

# %% [markdown]
# On the left the points rise along the line, though the higher ones lie a little below it: where the
# learner says "very likely" it is too sure. In the middle the orange curve is lowest near the threshold
# from the paper. There the learner is cheaper than all three baselines, so with the right threshold the
# same learner is worth something after all.
#
# How much, the right panel shows with its bars. Against "same as today" and "always cover" the bars lie
# almost wholly to the right of zero, so these savings are probably real, though not in every week, as the
# last column of the table shows. Against the calendar the learner saves about thirty coins in a year, and
# the bar reaches well below zero: with other weeks it could as well have been nothing. The calendar does
# without the cover in two dry months only. Yet it saves more than half as much as the learner does, and
# nobody has to look after it. A project may end here, with "not worth it", and that is a result. The
# stall decides to let the learner run for a year beside the calendar and to look.
#
# ## After the launch
#
# Now the test set is unlocked, once. The fourth year plays the future, and nobody may change anything any
# more. A second learner runs along, from a colleague in a hurry, who trained it on the winter months
# only, from November to February, because rain is rain. How will the two of them do, month by month?

# %%
# Draws the fourth year month by month: the learner, the one trained in winter only, and the baseline.
hasty_months = (11, 12, 1, 2)
hasty_days = train & np.isin(tomorrow_month, hasty_months)
hasty = fit(features[hasty_days], tomorrow[hasty_days])
says_rain["trained on four months"] = chance(features, hasty) > 0.5
test_months = [test & (tomorrow_month == number) for number in range(1, 13)]
monthly = {}
for name in ("the learner", "trained on four months", "same as today"):
    monthly[name] = np.array([np.mean(says_rain[name][part] == tomorrow[part]) for part in test_months])

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
for (name, line), style, color in zip(monthly.items(), ("o-", "s--", "^:"), ("C1", "C3", "C0")):
    ax.plot(MONTHS, 100 * line, style, color=color, label=name)
ax.set(ylabel="test accuracy (%)", ylim=(0, 100), title="The fourth year (2015)")
ax.legend(loc="lower left")
plt.show()

saved_2015 = {name: yearly((daily[name] - daily["the learner"])[test], rng) for name in list(covered)[:3]}
print(f"{'baseline':20s}{'saved':>12s}{'from':>12s}{'to':>12s}")
for name, numbers in saved_2015.items():
    print(f"{name:20s}" + "".join(f"{number:12.0f}" for number in numbers))

# %% [markdown]
# Against the calendar the learner saved about thirty coins once more, and once more the range includes
# zero. Two years that agree are better evidence than one, but they leave us with a small saving that may
# be none.
#
# The learner that was trained in winter keeps up until March, but in July it is wrong nearly every day,
# far worse than a coin. To see why, we take the average evening in July and look at what each feature
# adds to the total of either neuron.

# %%
# Draws what each feature adds to the totals of both learners on an average evening in July.
july = test & (tomorrow_month == 7)
added = {}
for name, model in (("the learner", learner), ("trained on four months", hasty)):
    weight, bias, mean, scale = model
    added[name] = np.append((features[july].mean(axis=0) - mean) / scale * weight, bias)  # (7,)

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharex=True, sharey=True)
for ax, (name, parts) in zip(axes, added.items()):
    bars = ax.barh((*FEATURES, "bias"), parts, color=["C0" if part > 0 else "C3" for part in parts])
    ax.bar_label(bars, fmt="%+.1f", padding=3)
    ax.axvline(0, color="0.4", linewidth=0.8)
    july_chance = 1 / (1 + np.exp(-parts.sum()))
    ax.set(
        xlabel="added to the total",
        title=f"{name}: {parts.sum():+.1f}, a chance of {100 * july_chance:.0f} %",
    )
    ax.margins(x=0.2)
axes[0].invert_yaxis()
plt.show()

lowest_wet = coldest[today][hasty_days & tomorrow].mean()
lowest_dry = coldest[today][hasty_days & ~tomorrow].mean()
print(
    f"lowest temperature before rain {lowest_wet:.1f} °C, before a dry day {lowest_dry:.1f} °C (four months)"
)
print(f"in July {coldest[today][july].mean():.1f} °C")
right_without = {}  # how often the second learner is right in July with some features left out
for left_out in (("lowest",), ("highest", "lowest")):
    kept = [place for place, feature in enumerate(FEATURES) if feature not in left_out]
    trained = fit(features[hasty_days][:, kept], tomorrow[hasty_days])
    share = np.mean((chance(features[july][:, kept], trained) > 0.5) == tomorrow[july])
    right_without[left_out] = share
    print(f"trained without {' and '.join(left_out)}: right on {100 * share:.0f} % of the days in July")

# %% [markdown]
# Look at the bar for the lowest temperature. In winter the nights before rain are milder than the others,
# probably because of the clouds, so both learners have a positive weight there. A night in July is far
# milder than the average winter night, and the neuron multiplies on, as if more degrees always meant more
# rain. The first learner has also seen summers, and it has learned a negative weight for the highest
# temperature that outweighs the other. In the second one that weight is smaller, probably because it
# never met a day that was warm and dry.
#
# Would it help to leave the lowest temperature out? The last two lines say no. Then the highest takes its
# place, because mild days in winter are wet ones, too, and the learner is as wrong as before. Only
# without either temperature is it right on most days in July.
#
# What it learned is still true of winters, but the world in front of it has changed, and this is called
# *drift*. It needs no mistake in the program, because prices, fashions, sensors and seasons move.
# Therefore a model has to be watched for as long as it is used.
#
# ## Who bears the mistakes?
#
# One accuracy for all days hides on which days the mistakes fall. We sort the days of the fourth year
# into four kinds, by today and tomorrow, and count for each how the cover fared. Where do you expect the
# wet goods?

# %%
# Draws how the cover fared in the fourth year, for four kinds of days.
kinds = {
    "dry, then dry": ~rained[today] & ~tomorrow,
    "dry, then rain": ~rained[today] & tomorrow,
    "rain, then dry": rained[today] & ~tomorrow,
    "rain, then rain": rained[today] & tomorrow,
}
learner_covers = covered["the learner"]
outcomes = {
    "right decision": learner_covers == tomorrow,
    "cover in vain": learner_covers & ~tomorrow,
    "goods wet": ~learner_covers & tomorrow,
}
outcome_days = {
    outcome: np.array([np.sum(test & of_kind & happened) for of_kind in kinds.values()])
    for outcome, happened in outcomes.items()
}
wet_goods = outcome_days["goods wet"]  # (4,)

fig, ax = plt.subplots(figsize=(10, 3.2), layout="constrained")
left_edge = np.zeros(4)
for (outcome, count), color, hatch in zip(outcome_days.items(), ("C0", "white", "C3"), ("", "//", "")):
    bars = ax.barh(
        list(kinds), count, left=left_edge, color=color, edgecolor="C0", hatch=hatch, label=outcome
    )
    ax.bar_label(
        bars, [n if n > 3 else "" for n in count], label_type="center", backgroundcolor="white", fontsize=9
    )
    left_edge += count
ax.invert_yaxis()
ax.set(xlabel="days of the fourth year", xlim=(0, 1.05 * left_edge.max()), title="Outcomes by kind of day")
ax.legend(loc="lower right")
plt.show()
print(f"Goods got wet on {wet_goods.sum()} days, and {wet_goods[1]} of them came after a dry day.")

# %% [markdown]
# Nearly all the wet goods fall on days when rain comes after a dry day, and those are the days for which
# people want a forecast at all. The covers in vain we had decided to afford.
#
# A stall loses some goods. If a bank decides about loans in this way, a wrong "no" costs a family its
# house and a wrong "yes" costs the bank its money, and the one who sets the threshold is not the one who
# is refused. The data come from earlier decisions, so about people who were refused nobody knows whether
# they would have paid, and if one group was treated unfairly, the record holds that as if it were a fact.
# This is *bias in data* (another thing than the bias of a neuron), and even a careful label can carry it.
# A program in American hospitals chose patients for extra care by predicting what they would cost,
# because costs are on file and need is not. Less money had been spent on Black patients who were equally
# ill, so it passed many of them over.
#
# So before the launch and after it, ask for whom the model is wrong, and count mistakes for each group
# that could be hit. Ask who is missing from the data, who can object, and who answers.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
# Draws nothing: it checks what the lesson says.
assert rainy_share[[0, 1, 2, 10, 11]].min() > 0.5, (
    "in the winter months it rains on more than half of the days"
)
assert rainy_share.argmin() == 6 and rainy_share.min() < 0.15, "in July it rains on about one day in ten"
assert wet_days[0] > 50 and dry_days[3] > 30, "the word and the gauge do not always agree"
assert gaps == {1}, "no day is missing and none is there twice"
assert accuracy["the learner"] > accuracy["always dry"] + 0.1, "the learner beats 'always dry' by far"
assert accuracy["the learner"] <= accuracy["same as today"], "but it does not beat 'same as today'"
gain_by_leak = leaky_accuracy["in the comparison"] - accuracy["the learner"]
assert gain_by_leak > 0.1, "with the leak the comparison jumps"
assert leaky_accuracy["in use"] <= accuracy["the learner"], "in use the leaky learner is no better"
assert np.all(np.diff(came) > 0), "the more likely it calls rain, the more often it rains"
assert np.abs(said - came).max() < 0.15, "and the stated chances come nearly true"
assert np.all(came[2:] < said[2:]), "but where it says likely or very likely it is too sure"
assert np.abs(limits[np.argmin(costs)] - threshold) < 0.1, "the cost is lowest near the threshold on paper"
assert min(numbers[0] for numbers in saved_2014.values()) > 0, "there it is cheaper than all three baselines"
for name in ("always cover", "same as today"):
    assert saved_2014[name][1] > -20, f"against '{name}' the range of savings hardly reaches below zero"
assert all(np.sum(weeks < 0) > 0 for weeks in weeks_2014.values()), "in some weeks each baseline is cheaper"
assert np.sum(month_share <= threshold) == 2, "the calendar does without the cover in two months"
calendar_saves = saved_2014["always cover"][0] - saved_2014["calendar"][0]  # against always covering
assert calendar_saves > saved_2014["always cover"][0] / 2, "the calendar saves more than half as much"
for saved in (saved_2014, saved_2015):
    assert 10 < saved["calendar"][0] < 60, "against the calendar it saves about thirty coins in a year"
    assert saved["calendar"][1] < 0, "and that may be chance: the range includes zero"
assert abs(monthly["trained on four months"][:3].mean() - monthly["the learner"][:3].mean()) < 0.1, (
    "alike to March"
)
assert monthly["trained on four months"][6] < 0.2, (
    "the learner trained in winter is wrong nearly every day in July"
)
assert added["trained on four months"].argmax() == 4, "what misleads it most is the lowest temperature"
assert added["the learner"][3] < -added["the learner"][4], "the other one outweighs it by the highest"
assert right_without[("lowest",)] < 0.2, "without the lowest temperature it is as wrong as before"
assert right_without[("highest", "lowest")] > 0.8, "without either it is right on most days in July"
assert wet_goods.sum() > 0 and wet_goods[1] > 0.8 * wet_goods.sum(), "wet goods fall on rain after a dry day"

# %% [markdown]
# ## Going further
#
# This can be skipped, because it only shows the whole lesson in one picture.
#
# ### The whole life cycle
#
# Here is the project on one page, with its own numbers. The last box leads back to the first, because
# what was seen in use raises the next question. Would the air pressure help on the days on which rain
# follows a dry day?

# %%
# Draws the life cycle of the project, each stage with a number from this lesson.
stages = [
    f"question\ncover {cover_cost}, wet goods {wet_cost} coins",
    f"data\n{len(days):,} days",
    f"preparation\n{wet_days[0]} sunny days with rain",
    f"training\n{train.sum()} days, {features.shape[1] + 1} parameters",
    f"evaluation\n{100 * accuracy['the learner']:.0f} %, baseline {100 * accuracy['same as today']:.0f} %",
    f"use\n{saved_2015['calendar'][0]:.0f} coins saved, perhaps",
    f"watching\nrain after a dry day: {wet_goods[1]}",
]
corners = [(0, 1), (1, 1), (2, 1), (3, 1), (2.5, 0), (1.5, 0), (0.5, 0)]  # the boxes' middles
width, box_height = 0.8, 0.5
arrow = {"arrowstyle": "-|>", "color": "C1", "linewidth": 2, "shrinkA": 0, "shrinkB": 0}

fig, ax = plt.subplots(figsize=(10, 3.6), layout="constrained")
for stage, (x, y) in zip(stages, corners):
    box = plt.Rectangle(
        (x - width / 2, y - box_height / 2), width, box_height, facecolor="white", edgecolor="0.4"
    )
    ax.add_patch(box)
    ax.text(x, y, stage, ha="center", va="center", fontsize=9)
for (x, y), (next_x, next_y) in zip(corners, corners[1:] + corners[:1]):
    if y == next_y:
        side = np.sign(next_x - x) * width / 2
        ends = (x + side, y), (next_x - side, next_y)
    else:
        up = np.sign(next_y - y) * box_height / 2
        ends = (x, y + up), (next_x, next_y - up)
    ax.annotate("", ends[1], ends[0], arrowprops=arrow)
ax.set(xlim=(-0.5, 3.5), ylim=(-0.4, 1.4), title="Seven stages, and the last one leads to the first")
ax.axis("off")
plt.show()

# %% [markdown]
# Training is one box of seven. The costs in the first box chose the threshold, and with it the kind of
# mistakes in the last one.
#
# ## What to remember
#
# - The question says what is known when, and what each mistake costs. The costs give the threshold.
# - Lock the test set away first. If the data have an order in time, cut them along it, and decide on the
#   validation set.
# - Compare with the best baseline that costs nothing. Being no better is a result, too.
# - If a result is too good to be true, look for a data leak: ask when each entry was written.
# - The world drifts, and averages hide who bears the mistakes. So watch a model that is in use.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. In the cell that holds what a day costs, make rain less costly: change `wet_cost = 10` to
#    `wet_cost = 4`. At which chance should the stall now cover, and will the learner still be cheaper
#    than each baseline? Look at the sixth figure.
# 2. In the cell that draws the fourth year, let the colleague train on the summer only: change
#    `hasty_months = (11, 12, 1, 2)` to `hasty_months = (6, 7, 8, 9)`. Will this learner be as wrong in
#    winter as the other one was in July? Look at the seventh figure. What may days in June and September
#    have taught it that no day in January could?
# 3. In the cell with the word as a feature, mend the leak: change `[features, is_word[today + 1]]` to
#    `[features, is_word[today]]`. What will the two bars do, and will the word of today help at all? Look
#    at the fifth figure.
#
# ## Sources
#
# - NOAA, daily summaries for Seattle, 2012 to 2015, as shipped in _vega_datasets_: the data.
# - A. H. Murphy, "The value of climatological, categorical and probabilistic forecasts in the cost-loss
#   ratio situation", _Monthly Weather Review_ 105, 1977: the threshold from two costs, and the calendar.
#   Reproduced: "the cost is lowest near the threshold on paper".
# - S. Kaufman, S. Rosset, C. Perlich, O. Stitelman, "Leakage in data mining", _ACM Transactions on
#   Knowledge Discovery from Data_ 6, 2012: what a leak is, with cases.
# - J. R. Zech and others, "Variable generalization performance of a deep learning model to detect
#   pneumonia in chest radiographs", _PLoS Medicine_ 15, 2018: the network that knew the hospital.
# - Z. Obermeyer, B. Powers, C. Vogeli, S. Mullainathan, "Dissecting racial bias in an algorithm used to
#   manage the health of populations", _Science_ 366, 2019: costs in place of need.
# - D. Sculley and others, "Hidden technical debt in machine learning systems", NIPS 2015: how small the
#   learning is in the whole.
# - M. Mitchell and others, "Model cards for model reporting", FAT* 2019: count mistakes group by group.
