# %% [markdown]
# # 1 Exercises: decide, and know why
#
# Nine decisions as they come up in real projects. Nothing has to be programmed. Each exercise is a cell
# with dots in it, and you put a word or a number in place of each `...`. Words keep their quotation
# marks, as in `"supervised"`, and numbers have a point for the fraction, as in `0.5`. Run the whole file
# once. Then, for each exercise, run its cell (Shift and Enter) and the one after it, which answers
# _done_, _not done yet_, or what speaks against your choice. The checks hold what is said to each wrong
# choice, so do not read them beforehand. Take the exercises in any order.
#
# **You need** chapter 1. One answer to each, with its reason, is in `solutions.py`.

# %%
import traceback

import numpy as np

# %% [markdown]
# The next cell is the machine that answers. You need not read it.

# %%
verdicts = {}


class NotDone(Exception):
    """The answer still has `...` in it."""


def unfinished(result):
    """Whether there is a `...` anywhere in what an answer returned."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return any(unfinished(part) for part in result)
    return result is ...


def verdict(check, answer):
    """What `check` finds about `answer`: 'done', 'not done yet', or what is wrong with it."""

    def asked(*args, **kwargs):
        result = answer(*args, **kwargs)
        if unfinished(result):
            raise NotDone
        return result

    try:
        check(asked)
    except NotDone:
        return "not done yet"
    except AssertionError as error:
        return "not right yet: " + str(error).partition("\n")[0]  # pytest adds lines of its own
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.line for frame in frames if frame.name == getattr(answer, "__name__", None)]
        where = f", in your line {lines[-1]!r}" if lines else ""
        return f"stops with {type(error).__name__}: {error}{where}"
    return "done"


def exercise(check):
    """Judge the answer that `check` is named after, and print the verdict."""
    name = check.__name__.removeprefix("check_")
    verdicts[name] = verdict(check, globals()[name])
    print(f"{name:24s}{verdicts[name]}")
    return check


def compare(got, expected, slips=()):
    """Pass if got is expected; else fail with the slip that gives the same numbers, if there is one."""
    if hasattr(got, "detach"):
        got = got.detach().cpu()  # a tensor that records its history does not become an array by itself
    got = np.asarray(got, dtype=float)
    expected = np.asarray(expected, dtype=float)
    for what, wrong in ((None, expected), *slips):
        if got.shape == np.shape(wrong) and np.allclose(got, wrong, rtol=1e-6, atol=1e-9):
            if what is None:
                return
            raise AssertionError(what)
    assert got.shape == expected.shape, f"the shape is {got.shape}, and should be {expected.shape}"
    assert np.isfinite(got).all(), "not all of the numbers are finite"
    worst = np.unravel_index(np.abs(got - expected).argmax(), got.shape)
    if not worst:  # a single number: say the direction, for the number itself would be the answer
        raise AssertionError(f"you have {got:.6g}, it should be {'larger' if got < expected else 'smaller'}")
    place = ", ".join(str(int(i)) for i in worst)
    raise AssertionError(f"at [{place}] you have {got[worst]:.6g}, it should be {expected[worst]:.6g}")


def summary():
    """How many exercises are done."""
    n_done = sum(state == "done" for state in verdicts.values())
    return f"{n_done} of {len(verdicts)} exercises done"


# %%
def judge(choices, allowed, replies):
    """Pass if nothing speaks against a choice; else fail with the first reply.

    choices: {question: choice}; allowed: what may be chosen; replies: {question: {wrong choice: reply}}.
    """
    for question, reply in replies.items():
        assert question in choices, f"{question!r} is missing: put it back"
        choice = choices[question]
        assert choice in allowed, f"{question}: {choice!r} is not one of {', '.join(allowed)}"
        assert choice not in reply, f"{question}: {reply[choice]}"


def judge_number(choices, question, expected, slips, hint):
    """Pass if the number is right; else fail with the slip that gives it, or with the hint.

    choices: {question: number}; slips: [(reply, wrong number), ...]. No reply says the right number.
    """
    assert question in choices, f"{question!r} is missing: put it back"
    given = choices[question]
    assert isinstance(given, (int, float)), f"{question}: {given!r} is no number, write it without quotes"
    if np.isclose(given, expected):
        return
    for reply, wrong in slips:
        assert not np.isclose(given, wrong), f"{question}: {reply}"
    raise AssertionError(f"{question}: {given:g} is not right, {hint}")


# %% [markdown]
# ## 1 Which way to learn?
#
# (10 minutes.) For each of ten problems choose `"supervised"`, `"unsupervised"` or `"reinforcement"`.
#
# - `loan`: will this customer pay back a loan? The bank has ten years of loans on file, with how they
#   ended.
# - `news`: put today's 5,000 articles into piles that tell of the same event. Nobody has read them.
# - `lifts`: let three lifts find out where to wait, so that people wait less.
# - `mushrooms`: name a mushroom from a photograph. Experts have named 20,000 photographs.
# - `flat`: what rent can one ask for a flat? The rents of 3,000 flats are known.
# - `pump`: notice when a pump vibrates in a way that it never did in a year without failure.
# - `game`: learn a video game from its score.
# - `translation`: translate, after a million sentences with their translations.
# - `baskets`: find goods that are often bought together.
# - `headlines`: which of twenty headlines gets most clicks? The program chooses what each visitor sees.


# %%
def paradigms():
    """For each problem: "supervised", "unsupervised" or "reinforcement"."""
    return {
        "loan": ...,
        "news": ...,
        "lifts": ...,
        "mushrooms": ...,
        "flat": ...,
        "pump": ...,
        "game": ...,
        "translation": ...,
        "baskets": ...,
        "headlines": ...,
    }


# %%
PARADIGMS = ("supervised", "unsupervised", "reinforcement")
PARADIGM_REPLIES = {
    "loan": {
        "unsupervised": "how each old loan ended is on file, and that is a label",
        "reinforcement": "nothing has to be tried out, because the old loans already tell how it ended",
    },
    "news": {
        "supervised": "nobody has read the articles, so no article comes with the right pile",
        "reinforcement": "the piles earn no reward: the program does not act, it sorts what is there",
    },
    "lifts": {
        "supervised": "nobody knows the right place to wait, so there are no labels",
        "unsupervised": "the lifts act, and the waiting times say how well: that is a reward",
    },
    "mushrooms": {
        "unsupervised": "the experts' names are labels",
        "reinforcement": "learning by trying would need somebody to eat them; the names are known already",
    },
    "flat": {
        "unsupervised": "the known rents are labels; that they are numbers makes it a regression",
        "reinforcement": "the right answers for 3,000 flats are on file, so nothing has to be tried out",
    },
    "pump": {
        "supervised": "there was no failure in that year, so no example is labelled as one",
        "reinforcement": "the program only watches; it takes no action that could earn a reward",
    },
    "game": {
        "supervised": "nobody says which button would have been right, only how many points there were",
        "unsupervised": "there is a score, and it answers the program's own actions",
    },
    "translation": {
        "unsupervised": "each sentence comes with its translation, and that is the label",
        "reinforcement": "a million right answers are given, so nothing has to be found out by trying",
    },
    "baskets": {
        "supervised": "no basket comes with a right answer; what belongs together is to be found",
        "reinforcement": "the baskets are on file; the program changes nothing and earns nothing",
    },
    "headlines": {
        "supervised": "it is known what the shown headline did, not which would have been the right one",
        "unsupervised": "each click is an answer to what the program did: that is a reward",
    },
}


@exercise
def check_paradigms(answer):
    judge(answer(), PARADIGMS, PARADIGM_REPLIES)


# %% [markdown]
# ## 2 Find the leak
#
# (10 minutes.) Three plans, and in each of them one thing lets the answer in among what the learner gets.
# Name it by its letter.
#
# - `hospital`: will this patient be back within a month? This is asked on the day when the patient
#   leaves. The features are the age (`"a"`), the days spent in the ward (`"b"`), the number of stays in
#   this calendar year, from the yearly statistics (`"c"`), and the number of stays in earlier years
#   (`"d"`).
# - `contract`: will this customer cancel next month? The features are the months since signing (`"a"`),
#   the complaints so far (`"b"`), the last bill (`"c"`), and the discount with which the hotline
#   tried to keep those who had called to cancel (`"d"`).
# - `skin`: is this spot on the skin dangerous? A laboratory examined each spot, which gives the labels
#   (`"a"`). There are five photographs of each spot, and of all the photographs a fifth, picked at
#   random, becomes the test set (`"b"`). The photographs are in colour (`"c"`). The network is chosen on
#   a validation set and tested once (`"d"`).


# %%
def leaks():
    """For each plan the letter of what leaks: "a", "b", "c" or "d"."""
    return {
        "hospital": ...,
        "contract": ...,
        "skin": ...,
    }


# %%
LETTERS = ("a", "b", "c", "d")
LEAK_REPLIES = {
    "hospital": {
        "a": "the age is known on the day when the patient leaves",
        "b": "the days in the ward have been counted by the day when the patient leaves",
        "d": "the earlier years are over, so these stays are known on that day",
    },
    "contract": {
        "a": "when the contract was signed is known all along",
        "b": "complaints so far are known today; they may well announce a cancellation, and that is fair",
        "c": "the last bill was written before the question is asked",
    },
    "skin": {
        "a": "labels are what a learner is given to learn from; these are careful ones",
        "c": "a photograph shows what the doctor sees, and the doctor's question is asked of it",
        "d": "that is how it should be done",
    },
}


@exercise
def check_leaks(answer):
    judge(answer(), LETTERS, LEAK_REPLIES)


# %% [markdown]
# ## 3 One neuron by hand
#
# (10 minutes.) A neuron with ReLU (silent below zero) looks for spam. Its inputs are how often the word
# "free" occurs (weight +1), whether the sender is known (1 or 0, weight −2) and whether a file is
# attached (1 or 0, weight +0.5). Its bias is −1.
#
# - `total`: the total for a message with three times "free", from a known sender, with a file.
# - `activation`: what the neuron passes on for that message.
# - `second_total` and `second_activation`: the same for a message with one "free", from a known sender,
#   with a file.
# - `least`: how often must "free" occur at least in a message from a known sender, without a file, for
#   the neuron to be active?


# %%
def neuron():
    """Five numbers."""
    return {
        "total": ...,
        "activation": ...,
        "second_total": ...,
        "second_activation": ...,
        "least": ...,
    }


# %%
@exercise
def check_neuron(answer):
    got = answer()
    weight = np.array([1.0, -2.0, 0.5])
    bias = -1.0
    for name, message in (("", [3.0, 1.0, 1.0]), ("second_", [1.0, 1.0, 1.0])):
        votes = np.array(message) * weight
        total = votes.sum() + bias
        slips = [
            ("the bias is missing, the opinion before anything is known", votes.sum()),
            ("the bias is negative, so it has to be taken away", votes.sum() - bias),
            ("a known sender speaks against spam, its weight is negative", np.abs(votes).sum() + bias),
        ]
        if total < 0:
            slips.append(("that is the activation; the total itself may be negative", 0.0))
        hint = "add up each input times its weight, and the bias"
        judge_number(got, f"{name}total", total, slips, hint)
        silent = ("the total is above zero, so the neuron is not silent", 0.0)
        negative = ("ReLU is silent below zero, so it passes on zero", total)
        slips = [silent if total > 0 else negative]
        slips.append(("an active neuron passes on its total, not only a yes", 1.0))
        hint = "it is the total if that is above zero, and otherwise zero"
        judge_number(got, f"{name}activation", max(total, 0.0), slips, hint)
    slips = [
        (
            "with so many the total is exactly zero, and only above zero is the neuron active",
            -bias - weight[1],
        ),
        ("the known sender counts, too", 1 - bias),
    ]
    hint = "write down the total for one, two, three and more, and see where it first is above zero"
    judge_number(got, "least", 1 - bias - weight[1], slips, hint)


# %% [markdown]
# ## 4 What would do without learning?
#
# (10 minutes.) Four learners are announced. Choose for each the baseline that it should have to beat
# first: `"most common class"`, `"mean of the labels"`, `"same as yesterday"` or `"same as a week ago"`.
#
# - `fraud`: is this card payment a fraud? One in a thousand is.
# - `temperature`: how warm will it be tomorrow at noon?
# - `bakery`: how many rolls will be sold tomorrow? On Saturdays it is always twice as many.
# - `weight`: what does this newborn child weigh? Each child is another, in no particular order.
#
# Then two numbers and a verdict:
#
# - `fraud_accuracy`: the accuracy of the baseline for `fraud`, in percent.
# - `fraud_learner`: somebody's learner reaches an accuracy of 99.7 %. Is that `"better"` or `"worse"`
#   than the baseline's?
# - `frauds_found`: how many frauds does the baseline find among a million payments?


# %%
def baselines():
    """Four baselines, an accuracy in percent, "better" or "worse", and a count."""
    return {
        "fraud": ...,
        "temperature": ...,
        "bakery": ...,
        "weight": ...,
        "fraud_accuracy": ...,
        "fraud_learner": ...,
        "frauds_found": ...,
    }


# %%
BASELINES = ("most common class", "mean of the labels", "same as yesterday", "same as a week ago")
BASELINE_REPLIES = {
    "fraud": {
        "mean of the labels": "the answer is yes or no, so there is no number to take the mean of",
        "same as yesterday": "another customer's payment yesterday says nothing about this one",
        "same as a week ago": "another customer's payment a week ago says nothing about this one",
    },
    "temperature": {
        "most common class": "the answer is a number, not a class",
        "mean of the labels": "the mean of all days is far off in winter and in summer",
        "same as a week ago": "yesterday is closer, and the weather has no weekly rhythm",
    },
    "bakery": {
        "most common class": "the answer is a number, not a class",
        "mean of the labels": "the mean of all days is wrong on each Saturday",
        "same as yesterday": "then each Saturday and each Sunday is far off: look for the rhythm",
    },
    "weight": {
        "most common class": "the answer is a number, not a class",
        "same as yesterday": "another child was born yesterday, and it says no more than any other",
        "same as a week ago": "another child was born a week ago, and it says no more than any other",
    },
}
FRAUD_REPLIES = {
    "fraud_learner": {"better": "the baseline is wrong once in a thousand times, and this one three times"},
}


@exercise
def check_baselines(answer):
    got = answer()
    judge(got, BASELINES, BASELINE_REPLIES)
    slips = [
        ("in percent, please, not as a share", 0.999),
        ("that is the share of frauds, and those it gets wrong", 0.1),
        ("one in a hundred would be that; here it is one in a thousand", 99.0),
    ]
    hint = "count how many of a thousand payments the most common class gets right"
    judge_number(got, "fraud_accuracy", 99.9, slips, hint)
    judge(got, ("better", "worse"), FRAUD_REPLIES)
    slips = [("there are so many, but the baseline never says fraud", 1000)]
    judge_number(got, "frauds_found", 0, slips, "the baseline gives the same answer to each payment")


# %% [markdown]
# ## 5 Choose a threshold
#
# (15 minutes.) A smoke detector states a chance of fire for each of eight evenings:
#
# | evening | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |
# | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
# | stated chance (%) | 5 | 10 | 20 | 30 | 40 | 60 | 80 | 90 |
# | fire? | no | no | no | yes | no | yes | yes | yes |
#
# A false alarm costs 1 (everybody goes down the stairs for nothing), and a fire without an alarm costs 4.
# An alarm at a fire costs nothing, which is another thing than the cover of lesson 1.4. An alarm is given
# if the stated chance is _above_ the threshold.
#
# - `threshold`: the chance, in percent, at which it makes no difference whether there is an alarm, if the
#   chances can be believed. Think of ten or of a hundred evenings with the same chance.
# - `cost_at_50`: what the eight evenings cost with a threshold of 50 %.
# - `cost_at_8`: the same with a threshold of 8 %.
# - `cost_at_yours`: the same with your threshold.
# - `after_a_rebuild`: a fire without an alarm now costs 99, and a false alarm still 1. Where does the
#   threshold go, `"up"` or `"down"`?


# %%
def threshold():
    """A threshold in percent, three costs, and "up" or "down"."""
    return {
        "threshold": ...,
        "cost_at_50": ...,
        "cost_at_8": ...,
        "cost_at_yours": ...,
        "after_a_rebuild": ...,
    }


# %%
REBUILD_REPLIES = {
    "after_a_rebuild": {"up": "a missed fire has become dearer, so the alarm should come earlier"},
}


@exercise
def check_threshold(answer):
    got = answer()
    stated = np.array([5, 10, 20, 30, 40, 60, 80, 90])
    fire = np.array([False, False, False, True, False, True, True, True])

    def costs(alarm, false_alarm=1, missed=4):
        return np.sum(alarm & ~fire) * false_alarm + np.sum(~alarm & fire) * missed

    slips = [
        ("in percent, please, not as a share", 0.2),
        ("a half is right only if both mistakes cost the same", 50.0),
        ("that would be right if an alarm at a fire cost 1 as well", 25.0),
        ("it is the other way round, a missed fire is the dear mistake", 80.0),
    ]
    hint = "at this chance a hundred evenings with an alarm must cost as much as a hundred without"
    judge_number(got, "threshold", 20.0, slips, hint)
    for name, limit in (("cost_at_50", 50), ("cost_at_8", 8), ("cost_at_yours", 20)):
        alarm = stated > limit
        slips = [
            ("an alarm is given only above the threshold, not at it", costs(stated >= limit)),
            ("that is the number of alarms; a right alarm costs nothing", alarm.sum()),
            ("that is the number of mistakes; they do not cost the same", costs(alarm, 1, 1)),
            ("a false alarm costs 1 and a missed fire 4", costs(alarm, 4, 1)),
        ]
        hint = "go through the evenings: 1 for an alarm without fire, 4 for a fire without alarm"
        judge_number(got, name, costs(alarm), slips, hint)
    judge(got, ("up", "down"), REBUILD_REPLIES)


# %% [markdown]
# ## 6 Read the learning curves
#
# (15 minutes.) Four networks were trained on the same digits, A to D. The table has their wrong answers
# in percent, on the training set and on the validation set. A network that guesses is wrong 90 times in
# 100.
#
# | epoch | A train | A val. | B train | B val. | C train | C val. | D train | D val. |
# | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
# | 0 | 90 | 90 | 90 | 90 | 90 | 90 | 90 | 90 |
# | 5 | 70 | 71 | 30 | 34 | 89 | 90 | 40 | 41 |
# | 10 | 52 | 54 | 10 | 20 | 90 | 91 | 31 | 32 |
# | 20 | 35 | 37 | 3 | 18 | 90 | 90 | 30 | 31 |
# | 40 | 22 | 25 | 0 | 19 | 90 | 90 | 30 | 31 |
# | 80 | 14 | 17 | 0 | 21 | 90 | 90 | 30 | 31 |
#
# - `A`, `B`, `C`, `D`: what would you try next? Choose among `"train longer"`, `"more training data"`,
#   `"smaller learning rate"` and `"more hidden neurons"`, each of them once.
# - `best_epoch_of_B`: after which of the epochs in the table would you have stopped B?
# - `use_now`: which one would you use now, if each can be taken at any epoch in the table? Write `"A"`,
#   `"B"`, `"C"` or `"D"`.


# %%
def learning_curves():
    """What to try next with each network, an epoch, and the letter of a network."""
    return {
        "A": ...,
        "B": ...,
        "C": ...,
        "D": ...,
        "best_epoch_of_B": ...,
        "use_now": ...,
    }


# %%
REMEDIES = ("train longer", "more training data", "smaller learning rate", "more hidden neurons")
REMEDY_REPLIES = {
    "A": {
        "more training data": "A has hardly a gap between training and validation",
        "smaller learning rate": "A learns steadily, only slowly: smaller steps would make it slower still",
        "more hidden neurons": "both lines are still falling, so A need not be too small",
    },
    "B": {
        "train longer": "B has no training mistakes left, and its validation error is already rising",
        "smaller learning rate": "B learns fast and well on its training set; the trouble is the gap",
        "more hidden neurons": "B can already learn its training set by heart",
    },
    "C": {
        "train longer": "C guesses after 5 epochs and after 80, so more of the same will hardly help",
        "more training data": "C does not even learn the data it has",
        "more hidden neurons": "C does not learn at all, so its size is not what limits it",
    },
    "D": {
        "train longer": "D has not moved since epoch 20",
        "more training data": "D is as wrong on the data it has learned from: it has no gap to close",
        "smaller learning rate": "D went down quickly and then stayed, so its steps work",
    },
}
USE_REPLIES = {
    "use_now": {
        "B": "on new digits it is wrong 18 times in 100 at best; the training error does not count",
        "C": "C guesses",
        "D": "D is wrong 31 times in 100 on new digits",
    },
}


@exercise
def check_learning_curves(answer):
    got = answer()
    judge(got, REMEDIES, REMEDY_REPLIES)
    slips = [
        ("there the training error is zero first, but judge by the validation error", 40),
        ("the validation error has risen again by then", 80),
        ("one step further the validation error is lower still", 10),
        ("that is the error; give the epoch after which it was reached", 18),
    ]
    hint = "look for the smallest number under B val., and give its epoch"
    judge_number(got, "best_epoch_of_B", 20, slips, hint)
    judge(got, ("A", "B", "C", "D"), USE_REPLIES)


# %% [markdown]
# ## 7 Which of the two overfits?
#
# (10 minutes.) Two networks look for broken bones on X-rays. Both were trained on the same images and
# compared on the same validation set of 500 images.
#
# | | training accuracy | validation accuracy |
# | --- | ---: | ---: |
# | small | 91 % | 89 % |
# | large | 99.8 % | 90 % |
#
# - `overfits_more`: `"small"` or `"large"`?
# - `images_apart`: on how many more validation images is the large one right than the small one?
# - `better_on_new`: which one will be better on new patients, `"small"`, `"large"` or `"cannot tell"`?
# - `expect`: about what accuracy would you expect of the large one on new images like these, in percent?


# %%
def overfitting():
    """A network, a number of images, a verdict, and an accuracy in percent."""
    return {
        "overfits_more": ...,
        "images_apart": ...,
        "better_on_new": ...,
        "expect": ...,
    }


# %%
OVERFIT_REPLIES = {
    "overfits_more": {
        "small": "its gap is 2 points, and that of the other one is larger",
    },
}
BETTER_REPLIES = {
    "better_on_new": {
        "small": "that it overfits less does not make it better: on new images it had slightly fewer right",
        "large": "five images of 500 are soon lost: another 500 may say the reverse",
    },
}


@exercise
def check_overfitting(answer):
    got = answer()
    judge(got, ("small", "large"), OVERFIT_REPLIES)
    slips = [
        ("that is the difference in percent; now take it of 500", 1),
        ("that compares the training accuracies", 44),
        ("so many are right in all, how many more than the other?", 450),
    ]
    hint = "take both validation accuracies of the 500 images, and subtract"
    judge_number(got, "images_apart", 5, slips, hint)
    judge(got, ("small", "large", "cannot tell"), BETTER_REPLIES)
    expected = got["expect"]
    assert isinstance(expected, (int, float)), f"expect: {expected!r} is no number, write it without quotes"
    assert expected < 99, "expect: that is the accuracy on images it has learned by heart"
    assert expected > 1, "expect: in percent, please, not as a share"
    assert expected < 92, "expect: do not mix in the training accuracy"
    assert expected >= 86, "expect: the validation images were new, too, and on them it does better"


# %% [markdown]
# ## 8 Put the project in order
#
# (10 minutes.) A packing house wants a camera to sort out bruised apples. Here are eight steps, in the
# order of the alphabet. Number them from 1 to 8. More than one order is right.
#
# - `baseline`: see how well one does by counting dark pixels.
# - `costs`: ask what a bruised apple in the shop costs, and what a good apple thrown away.
# - `labels`: agree on what counts as bruised, and have 4,000 apples judged.
# - `split`: put the apples of the last two weeks into a locked test set.
# - `test`: measure once on the locked apples.
# - `threshold`: choose on the validation set above which chance an apple is sorted out.
# - `train`: train a network.
# - `watch`: compare with a person on a hundred apples each month, also after the new harvest.


# %%
def life_cycle():
    """For each step its number, 1 to 8."""
    return {
        "baseline": ...,
        "costs": ...,
        "labels": ...,
        "split": ...,
        "test": ...,
        "threshold": ...,
        "train": ...,
        "watch": ...,
    }


# %%
BEFORE = (
    ("costs", "labels", "the costs say which bruises matter, so they help to decide what to label"),
    ("costs", "threshold", "the threshold follows from the costs"),
    ("labels", "baseline", "without labels nobody can say how well a baseline does"),
    ("split", "baseline", "what is tried on the locked apples is no longer a test"),
    ("split", "train", "the network must not learn from the locked apples"),
    ("baseline", "train", "the baseline says whether a network is needed, and what it has to beat"),
    ("train", "threshold", "the threshold is set on the chances that the network states"),
    ("threshold", "test", "after the test nothing may be chosen any more, or it is no test"),
    ("test", "watch", "what has not passed its test is not put to use"),
)


@exercise
def check_life_cycle(answer):
    got = answer()
    steps = {step for pair in BEFORE for step in pair[:2]}
    assert set(got) == steps, f"the steps are {', '.join(sorted(steps))}"
    for step, place in got.items():
        assert isinstance(place, int), f"{step}: {place!r} is no number from 1 to 8, write it without quotes"
    assert sorted(got.values()) == list(range(1, 9)), "each number from 1 to 8 has to occur once"
    for first, second, reason in BEFORE:
        assert got[first] < got[second], f"{first} comes before {second}: {reason}"


# %% [markdown]
# ## 9 What would change your mind?
#
# (15 minutes.) A company says: "Our app tells harmful spots on the skin from harmless ones, and 95 % of
# its answers are right", counted on 1,000 photographs that the app was not trained on. Then you learn
# more. Does each finding, taken alone, make you trust the app for yourself `"more"`, `"less"`, or does it
# leave you with about the `"same"` trust?
#
# - `common`: 940 of the 1,000 photographs show harmless spots.
# - `camera`: all of them come from the clinic and the camera that the training photographs came from.
# - `parameters`: the network has 50 million parameters.
# - `missed`: of the 60 harmful spots the app called 30 harmless.
# - `repeated`: another group tested it on photographs from five other countries, found 95 % again, and
#   only one harmful spot in a hundred was missed.
# - `training`: on its training set the app is right in 99.9 %.
# - `chosen`: of forty versions of the network the company chose the one that did best on these 1,000.
# - `skin_tones`: nearly all photographs show light skin, and yours is dark.


# %%
def change_of_mind():
    """For each finding "more", "less" or "same"."""
    return {
        "common": ...,
        "camera": ...,
        "parameters": ...,
        "missed": ...,
        "repeated": ...,
        "training": ...,
        "chosen": ...,
        "skin_tones": ...,
    }


# %%
MIND_REPLIES = {
    "common": {
        "more": "then an app that always says harmless is right in 94 %: where is the skill?",
        "same": "compare with the baseline: an app that always says harmless would be right in 94 %",
    },
    "camera": {
        "more": "your telephone is neither that clinic nor that camera",
        "same": "it was tested on pictures of one kind, and yours is of another: that is how drift begins",
    },
    "parameters": {
        "more": "a large network can also learn more by heart; only new examples tell",
        "less": "a large network need not overfit: the photographs were not in its training set",
    },
    "missed": {
        "more": "half of those who needed help were sent away",
        "same": "half of the harmful spots were missed, and that is the dear mistake",
    },
    "repeated": {
        "less": "other people, other cameras, the same result, and the dear mistake is rare",
        "same": "an independent test in other places is much stronger than the company's own",
    },
    "training": {
        "more": "a good memory for its own training set is no skill",
        "less": "how well it does on new photographs is known, and that counts",
    },
    "chosen": {
        "more": "the best of forty on the same photographs is partly the luckiest of forty",
        "same": "these photographs were used to choose, so they are a validation set, and 95 % is too good",
    },
    "skin_tones": {
        "more": "a learner knows what its examples show, and they hardly show skin like yours",
        "same": "the 95 % were counted on others; for whom is the model wrong?",
    },
}


@exercise
def check_change_of_mind(answer):
    judge(answer(), ("more", "less", "same"), MIND_REPLIES)


# %%
print(summary())
