# %% [markdown]
# # 1.4 The life of a project: will it rain tomorrow?
#
# A recipe is not a restaurant. Somebody has to decide what guests want, buy, wash, cook, taste, serve, and
# notice when it no longer tastes good. The learning in machine learning is the cooking: the part that
# everybody talks about, and the smallest part of the work.
#
# **You will see** one small real project go all the way round: a market stall in Seattle that decides
# every evening whether to put up its rain cover for tomorrow. On the way it meets a rival that needs no
# learning, a mark that is too good to be true, and a summer. **You need** supervised learning (1.3). You
# may leave the code folded.

# %% [markdown]
# ## 1. The question
#
# "Predict the weather" is no question yet. Ours is: *will it rain tomorrow, asked this evening, so that we
# can decide about the cover?* Putting it up costs two coins, the work of an hour. Goods that get wet cost
# ten. With the question come its limits: only what is known this evening may be used, and a wrong "dry"
# costs more than a wrong "wet".
#
# ## 2. The data
#
# A weather station kept a diary of every day for four years. Look at data before doing anything with it.
# Here are the warmest hour of each day, and the share of rainy days in each month. Seattle's rain has a
# season, and we will need to remember that.

# %%
# Draws four years of daily temperatures, and how often it rained in each month of the year.
import csv
import datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(globals().get("__file__", "")).parent

with open(HERE / "data" / "seattle_weather.csv", encoding="utf-8") as file:
    diary = list(csv.DictReader(file))
columns = ("precipitation", "temp_max", "temp_min", "wind")
amount, warmest, coldest, wind = (np.array([float(day[name]) for day in diary]) for name in columns)
dates = [datetime.date.fromisoformat(day["date"].replace("/", "-")) for day in diary]
month = np.array([date.month for date in dates])  # (n_days,)
year = np.array([date.year for date in dates])  # (n_days,)
rained = amount > 0  # (n_days,)
month_names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
rainy_share = np.array([rained[month == number].mean() for number in range(1, 13)])  # (12,)
assert rainy_share.argmin() == 6 and rainy_share.max() > 4 * rainy_share.min()

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=[1.6, 1])
left.plot(dates, warmest, color="C0", linewidth=0.6)
left.set_xticks(
    [datetime.date(number, 1, 1) for number in (2012, 2013, 2014, 2015)], (2012, 2013, 2014, 2015)
)
left.set(ylabel="warmest hour of the day (°C)", title=f"{len(diary):,} days, one line in the diary each")
right.bar(month_names, 100 * rainy_share, color="C0")
right.set(ylabel="rainy days in 100", title="July is dry, December is not")
right.tick_params(axis="x", rotation=90)
plt.show()

# %% [markdown]
# ## 3. Preparation: what do the entries mean?
#
# The diary holds a word for each day, and the water in the gauge. Do they agree? We count. Some days are
# called "rain" with nothing in the gauge, and some are called "sun" although water fell. Perhaps the word
# describes noon and the gauge the night; nobody can ask any more.
#
# So we have to decide, and write down, what "rain" means in this project: *water in the gauge*. No program
# decides that for you, and every number from here on depends on it. We also check that no day is missing
# and none is there twice.

# %%
# Draws, for each word in the diary, on how many days the gauge was wet and dry.
words = np.array([day["weather"] for day in diary])
word_list = ("sun", "fog", "drizzle", "rain", "snow")
wet_days = np.array([np.sum(rained[words == word]) for word in word_list])
dry_days = np.array([np.sum(~rained[words == word]) for word in word_list])
gaps = {(later - earlier).days for earlier, later in zip(dates, dates[1:])}
assert gaps == {1} and wet_days.sum() + dry_days.sum() == len(diary)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.bar(word_list, wet_days, color="C0", label="water in the gauge")
ax.bar(word_list, dry_days, bottom=wet_days, color="white", edgecolor="C0", hatch="//", label="gauge dry")
ax.set(xlabel="the word in the diary", ylabel="days", title="The word and the gauge do not always agree")
ax.legend()
plt.show()

print(f'Called "sun" although water fell: {wet_days[0]} days. Called "rain" with a dry gauge: {dry_days[3]}.')
assert wet_days[0] > 50 and dry_days[3] > 30

# %% [markdown]
# ## 4. Putting the exam away
#
# Before any learning, we lock an exam away. The weather has an order in time, so we cut along it: the
# first two years to learn from, the third to compare and decide, the fourth to play the future. Dealing
# days out at random, as with the digits of lesson 1.1, would let the learner practise on days that come
# after the exam. The stall will never be so lucky.
#
# Each evening the learner may use six things: whether it rained today and how much, whether it rained
# yesterday, today's warmest and coldest hour, and the wind.

# %%
# Draws the rainy days of every month, and which years are for learning, for deciding, and for the exam.
today = np.arange(1, len(diary) - 1)  # every day that has a yesterday and a tomorrow
tomorrow = rained[today + 1]  # (n,): what we want to know
known = np.column_stack(
    [rained[today], np.log1p(amount[today]), rained[today - 1], warmest[today], coldest[today], wind[today]]
)  # (n, 6): what is known this evening
learn, decide, future = (np.isin(year[today + 1], years) for years in ((2012, 2013), (2014,), (2015,)))
parts = {
    "to learn from": (learn, "C0", ""),
    "to decide": (decide, "C1", "//"),
    "the exam": (future, "C2", ".."),
}
month_index = 12 * (year[today + 1] - 2012) + month[today + 1] - 1  # (n,): 0 to 47
assert not np.any(learn & decide | decide & future) and np.all(learn | decide | future)

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
for name, (part, color, hatch) in parts.items():
    wet_count = np.bincount(month_index[part & tomorrow], minlength=48)  # (48,)
    ax.bar(np.arange(48), wet_count, color=color, hatch=hatch, edgecolor="white", label=name)
ax.set(
    xticks=[0, 12, 24, 36], xticklabels=[2012, 2013, 2014, 2015], ylabel="rainy days a month", ylim=(0, 35)
)
ax.set_title("The exam lies in the future, as it will in use")
ax.legend(ncols=3)
plt.show()

# %% [markdown]
# ## 5. A rival that learns nothing
#
# How good is good? Before training, ask what could be had for nothing. *It is always dry* is one rival.
# *It will be the same as today* is a better one: weather lasts. Such a rival is called a *baseline*, and a
# learner that does not beat it has learned nothing of use.
#
# ## 6. Training, and the first honest mark
#
# Our learner is a single neuron as in lesson 1.2, with six knobs and an opinion, and its answer is a
# chance of rain. It says "wet" when the chance is above one half. Here are the three, marked on the third
# year.


# %%
# Draws the marks of two rivals and of the learner on the third year, none of them having seen it.
def fit(x, y, n_steps=1000, learning_rate=0.5):
    """A neuron that gives the chance of y (n,), True or False, from x (n, d); returns it as a function."""
    mean, scale = x.mean(axis=0), x.std(axis=0)  # each (d,)

    def prepare(x):
        return np.column_stack([(x - mean) / scale, np.ones(len(x))])  # (n, d + 1)

    def chance(x):
        return 1 / (1 + np.exp(-prepare(x) @ knobs))  # (n, d + 1) @ (d + 1,) -> (n,)

    knobs, inputs = np.zeros(x.shape[1] + 1), prepare(x)
    for _ in range(n_steps):
        knobs -= learning_rate * (chance(x) - y) @ inputs / len(y)  # (n,) @ (n, d + 1) -> (d + 1,)
    return chance


chance = fit(known[learn], tomorrow[learn])
marks = {
    "always dry": np.mean(~tomorrow[decide]),
    "same as today": np.mean(rained[today][decide] == tomorrow[decide]),
    "the learner": np.mean((chance(known[decide]) > 0.5) == tomorrow[decide]),
}
assert marks["always dry"] + 0.1 < marks["the learner"] <= marks["same as today"]

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
bars = ax.barh(list(marks), [100 * mark for mark in marks.values()], color=["C0", "C0", "C1"])
ax.bar_label(bars, fmt="%.0f", padding=3)
ax.invert_yaxis()
ax.set(
    xlim=(0, 100),
    xlabel="right answers in 100 days",
    title="The learner does not beat a rival that learns nothing",
)
plt.show()

# %% [markdown]
# That is a disappointment, and an ordinary one. A report that showed only the learner's bar would have
# called it a success. Keep the result in mind; we will come back to what the learner can do and its rival
# cannot.
#
# ## 7. Too good to be true
#
# A colleague has a better idea: use the diary's word as well. The mark jumps. Everybody is pleased, and
# somebody should be worried, because of which day's word it was: in the table, the row to be predicted is
# *tomorrow's*, and so is its word. The word "rain" is written down after it has rained.
#
# This is a *leak*: the answer has crept into the question. In the exam it looks like skill. In use,
# tomorrow's word does not exist yet. If today's is put in its place, the skill is gone, and the learner
# that had relied on the word is now worse than the honest one.

# %%
# Draws the exam marks and the marks in real use, of the honest learner and of the one with the leak.
is_word = words[:, None] == np.array(word_list)  # (n_days, 1) == (5,) -> (n_days, 5)
with_leak = np.column_stack([known, is_word[today + 1]])  # (n, 11): holds a word from the future
in_use = np.column_stack([known, is_word[today]])  # (n, 11): the word that really exists this evening
leaky = fit(with_leak[learn], tomorrow[learn])
leak_marks = {
    "in the exam": [marks["the learner"], np.mean((leaky(with_leak[decide]) > 0.5) == tomorrow[decide])],
    "in use": [marks["the learner"], np.mean((leaky(in_use[decide]) > 0.5) == tomorrow[decide])],
}
exam, use = (pair[1] for pair in leak_marks.values())
assert use + 0.03 < marks["the learner"] < exam - 0.05

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for place, (name, pair), color, hatch in zip((-0.2, 0.2), leak_marks.items(), ("C1", "white"), ("", "//")):
    heights = [100 * mark for mark in pair]
    bars = ax.bar(np.arange(2) + place, heights, 0.38, color=color, edgecolor="C1", hatch=hatch, label=name)
    ax.bar_label(bars, fmt="%.0f")
ax.set(xticks=[0, 1], xticklabels=["honest learner", "learner with the leak"], ylim=(0, 115))
ax.set(ylabel="right answers in 100 days", title="The leak shines in the exam and fails at work")
ax.legend(ncols=2)
plt.show()

# %% [markdown]
# Leaks are seldom this plain. A hospital's scans carry the name of the ward. A customer table has a field
# that is filled in only when somebody has left. The rule of thumb: *when a mark is much better than you
# expected, look for the leak before you celebrate*, and ask of every entry when it was written.
#
# ## 8. Is it worth using?
#
# Now back to the honest learner. Its rival says "wet" or "dry". The learner says "thirty in a hundred",
# and the left picture tests such words: it sorts the days by the chance it gave, and counts how often it
# then rained. The points lie near the line, so its chances can be believed.
#
# That is worth money, because our two mistakes do not cost the same. With two coins for the cover and ten
# for wet goods, it pays to cover well before rain is likelier than not. The right picture tries every line
# at which to put up the cover.

# %%
# Draws whether the stated chances come true, and what a day costs for every chance at which to cover.
cover_cost, wet_cost = 2, 10


def cost(covered, wet):
    """Coins a day, on average: for the cover where it was put up, for wet goods where it was not."""
    return np.mean(np.where(covered, cover_cost, wet_cost * wet))


stated, wet = chance(known[decide]), tomorrow[decide]
limits = np.arange(0, 0.9, 0.02)
costs = np.array([cost(stated > limit, wet) for limit in limits])
rivals = {"never cover": cost(np.zeros_like(wet), wet), "same as today": cost(rained[today][decide], wet)}
rivals["always cover"] = cost(np.ones_like(wet), wet)
limit = cover_cost / wet_cost  # cover when the loss to be expected is more than the cover
daily = cost(stated > limit, wet)
bins = np.digitize(stated, (0.2, 0.4, 0.6, 0.8))
said, came = (np.array([part[bins == place].mean() for place in range(5)]) for part in (stated, wet))
assert np.abs(said - came).max() < 0.15 and daily < 0.95 * min(rivals.values())

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot([0, 100], [0, 100], color="0.7", linewidth=0.8, label="if every chance were true")
left.plot(100 * said, 100 * came, "o", color="C1", label="the learner")
left.set(xlabel="chance of rain it stated (%)", ylabel="days on which it rained (%)")
left.set_title("What it calls likely is likely")
left.legend()
right.plot(100 * limits, costs, color="C1", label="cover above this chance")
right.plot(100 * limit, daily, "o", color="C1")
for (name, price), style in zip(rivals.items(), (":", "--", "-.")):
    right.axhline(price, color="C0", linestyle=style, label=name)
right.set(xlabel="chance at which to cover (%)", ylabel="coins a day", ylim=(0, 5))
right.set_title("Used with care, the same learner saves coins")
right.legend(fontsize=8, loc="lower right")
plt.show()

print(f"Coins a day: {daily:.2f} with the learner, " + ", ".join(f"{v:.2f} {k}" for k, v in rivals.items()))
print(f"Saved in a year against the best rival: {365 * (min(rivals.values()) - daily):.0f} coins.")

# %% [markdown]
# The decision, then: use it for the cover, where it saves a little every week. Do not use it to announce
# the weather, where its rival is as good and needs no looking after. A project may also end here with "not
# worth it", and that is a result.
#
# ## 9. After the launch
#
# The fourth year is the launch. Nobody may change anything any more; we only watch, month by month. And we
# launch a second learner beside the first, taught by a colleague in a hurry, on four winter months only.
# Until March there is little between the two. Then the season changes.
#
# What the hasty learner was taught is still true of winters. It is the world in front of it that is
# another one. That is *drift*, and it needs no mistake in the program: prices, fashions, sensors and
# seasons move. A learner has to be watched as long as it is used.

# %%
# Draws the launch year month by month: the learner, the one taught in winter, and the rival.
winter = learn & np.isin(month[today + 1], (11, 12, 1, 2))
hasty = fit(known[winter], tomorrow[winter])
verdicts = {
    "the learner": chance(known) > 0.5,
    "taught on winter only": hasty(known) > 0.5,
    "same as today": rained[today],
}
launch_months = [future & (month[today + 1] == number) for number in range(1, 13)]
monthly = {
    name: np.array([np.mean(verdict[days] == tomorrow[days]) for days in launch_months])
    for name, verdict in verdicts.items()
}
summer = slice(5, 8)  # June, July, August
early = {name: line[:3].mean() for name, line in monthly.items()}
assert abs(early["the learner"] - early["taught on winter only"]) < 0.1
assert monthly["taught on winter only"][summer].max() < 0.3 < 0.7 < monthly["the learner"][summer].min()

fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
for (name, line), style, color in zip(monthly.items(), ("o-", "s--", "^:"), ("C1", "C3", "C0")):
    ax.plot(month_names, 100 * line, style, color=color, label=name)
ax.set(xlabel="2015", ylabel="right answers in 100 days", ylim=(0, 100))
ax.set_title("Taught on winter days, helpless in July")
ax.legend(loc="lower left")
plt.show()

covered = chance(known[future]) > limit
launch_cost, launch_always = cost(covered, tomorrow[future]), cover_cost
launch_same = cost(rained[today][future], tomorrow[future])
print(
    f"Coins a day in the launch year: {launch_cost:.2f} with the learner, {launch_always:.2f} always cover, "
    f"{launch_same:.2f} same as today."
)
assert launch_cost < launch_always < launch_same

# %% [markdown]
# ## 10. Who may be harmed?
#
# One mark for everybody hides who carries the mistakes. So we sort the days of the launch year into four
# kinds, by today and tomorrow, and count for each how often the cover was right, how often it was put up
# in vain, and how often the goods got wet. Covers in vain we had decided to afford. But look where the wet
# goods are: nearly all on the days when rain comes after a dry day. Those are the days for which people
# want a forecast at all.
#
# A stall loses some goods. Where the stakes are people, the same question comes before the launch and
# stays afterwards: *for whom is it wrong?* Count the mistakes for each group that could be hit, not on
# average. Ask who is missing from the diary: this one was kept in one place, and says nothing about the
# mountains. Ask who can object, and who answers.

# %%
# Draws how the cover fared in the launch year, for four kinds of days.
kinds = {
    "dry, then dry": ~rained[today] & ~tomorrow,
    "dry, then rain": ~rained[today] & tomorrow,
    "rain, then dry": rained[today] & ~tomorrow,
    "rain, then rain": rained[today] & tomorrow,
}
covers = chance(known) > limit
fates = {
    "cover right": covers == tomorrow,
    "cover in vain": covers & ~tomorrow,
    "goods wet": ~covers & tomorrow,
}
fate_days = {
    fate: np.array([np.sum(future & days & came) for days in kinds.values()]) for fate, came in fates.items()
}
wet_goods = fate_days["goods wet"]  # (4,)
assert sum(fate_days.values()).sum() == future.sum() and wet_goods[1] > 0.8 * wet_goods.sum()

fig, ax = plt.subplots(figsize=(10, 3.2), layout="constrained")
left_edge = np.zeros(4)
for (fate, days), color, hatch in zip(fate_days.items(), ("C0", "white", "C3"), ("", "//", "")):
    bars = ax.barh(list(kinds), days, left=left_edge, color=color, edgecolor="C0", hatch=hatch, label=fate)
    ax.bar_label(bars, [n or "" for n in days], label_type="center", backgroundcolor="white", fontsize=9)
    left_edge += days
ax.invert_yaxis()
ax.set(xlabel="days of the launch year", xlim=(0, 1.05 * left_edge.max()))
ax.set(title="The wet goods nearly all fall on one kind of day")
ax.legend(loc="lower right")
plt.show()

unprotected = wet_goods[1]
print(f"Goods got wet on {wet_goods.sum()} days, and on {unprotected} of them the day before was dry.")

# %% [markdown]
# The stages hang together: the costs that we named in the first one chose the kinds of mistakes in the
# last.
#
# ## The whole round
#
# Here is the project on one page, with its own numbers. The arrow does not end at the launch. What was
# seen while watching (rain out of the dry is missed) is the next question: *would the air pressure help?*
# And so it goes round again.

# %%
# Draws the life of the project as a circle, each stage with a number that it really had.
saved = 365 * (launch_always - launch_cost)
stages = [
    f"question\ncover {cover_cost}, wet goods {wet_cost} coins",
    f"data\n{len(diary):,} days",
    f"preparation\n{wet_days[0]} sunny days with rain",
    f"training\n{learn.sum()} days, {known.shape[1] + 1} knobs",
    f"evaluation\n{100 * marks['the learner']:.0f} in 100, rival {100 * marks['same as today']:.0f}",
    f"use\n{saved:.0f} coins saved in a year",
    f"watching\n{unprotected} days of rain out of the dry",
]
angles = np.pi / 2 - 2 * np.pi * np.arange(len(stages)) / len(stages)  # (7,): clockwise from the top
places = np.column_stack([1.9 * np.cos(angles), np.sin(angles)])  # (7, 2)

fig, ax = plt.subplots(figsize=(10, 5.4), layout="constrained")
for stage, place, following in zip(stages, places, np.roll(places, -1, axis=0)):
    arrow = {"arrowstyle": "-|>", "color": "C1", "linewidth": 2}
    ends = 0.66 * place + 0.34 * following, 0.34 * place + 0.66 * following
    ax.annotate("", ends[1], ends[0], arrowprops=arrow, zorder=0)
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "0.4"}
    ax.text(*place, stage, ha="center", va="center", bbox=box)
ax.set(
    xlim=(-2.5, 2.5),
    ylim=(-1.25, 1.2),
    title="Training is one stage of seven, and the last one leads to the first",
)
ax.axis("off")
plt.show()

# %% [markdown]
# ## What to remember
#
# - The question names what is known when, and what each mistake costs.
# - Lock the exam away first. Where there is time, the exam lies in the future.
# - Compare with a rival that learns nothing. Being no better is a result, too.
# - Too good to be true is usually a leak: ask when each entry was written.
# - Launching is not the end. The world drifts, and averages hide who is harmed.
#
# ## Try it
#
# Predict first, then look again or change one number and run the cells from the top. A cell that stops
# with `AssertionError` tells you that a sentence of the lesson is no longer true after your change.
#
# 1. In the picture of the launch year, in which months could you not tell the hasty learner from the
#    other? For how long would you have had to watch before the launch?
# 2. Change `wet_cost = 2, 10` so that wet goods cost `4`. At which chance should the stall now cover, and
#    is the learner still worth having?
# 3. Which entry of a hospital's table would be a leak if the question is "will this patient come back
#    within a month"?
#
# ## Sources
#
# - NOAA, daily summaries for Seattle, 2012 to 2015, as shipped in *vega_datasets*: the diary.
# - S. Kaufman, S. Rosset, C. Perlich, O. Stitelman, "Leakage in data mining", *ACM Transactions on
#   Knowledge Discovery from Data* 6, 2012: what a leak is, with cases.
# - D. Sculley and others, "Hidden technical debt in machine learning systems", NIPS 2015: how small the
#   learning is in the whole.
# - A. H. Murphy, "The value of climatological, categorical and probabilistic forecasts in the cost-loss
#   ratio situation", *Monthly Weather Review* 105, 1977: the cover and its coins.
# - M. Mitchell and others, "Model cards for model reporting", FAT* 2019: count mistakes group by group.
