"""The exercises of chapter 1: the answers pass, stubs are 'not done yet', wrong choices get their reason."""

import numpy as np
import pytest

# name of the exercise -> [(what is changed in the solution, what the verdict must say of it)]
WRONG = {
    "paradigms": [
        ({"loan": "unsupervised"}, "that is a label"),
        ({"news": "supervised"}, "no article comes with the right pile"),
        ({"headlines": "unsupervised"}, "that is a reward"),
        ({"flat": "regression"}, "'regression' is not one of supervised, unsupervised, reinforcement"),
        ({"pump": "Unsupervised"}, "'Unsupervised' is not one of"),
    ],
    "leaks": [
        ({"hospital": "d"}, "the earlier years are over"),
        ({"contract": "b"}, "that is fair"),
        ({"skin": "d"}, "that is how it should be done"),
        ({"skin": "C"}, "'C' is not one of a, b, c, d"),
    ],
    "neuron": [
        ({"total": 1.5}, "total: the bias is missing"),
        ({"total": 2.5}, "the bias is negative"),
        ({"total": 4.5}, "its weight is negative"),
        ({"activation": 0}, "the neuron is not silent"),
        ({"activation": 1}, "not only a yes"),
        ({"second_total": 0}, "that is the activation"),
        ({"second_activation": -1.5}, "silent below zero"),
        ({"least": 3}, "only above zero"),
        ({"least": 2}, "the known sender counts"),
        ({"total": 7}, "total: 7 is not right, add up each input"),
        ({"total": 0}, "total: 0 is not right"),
        ({"total": "0.5"}, "total: '0.5' is no number"),
    ],
    "baselines": [
        ({"fraud": "mean of the labels"}, "no number to take the mean of"),
        ({"bakery": "same as yesterday"}, "look for the rhythm"),
        ({"weight": "same as yesterday"}, "another child"),
        ({"fraud_accuracy": 0.999}, "in percent"),
        ({"fraud_accuracy": 0.1}, "the share of frauds"),
        ({"fraud_accuracy": 99}, "one in a thousand"),
        ({"fraud_learner": "better"}, "and this one three times"),
        ({"frauds_found": 1000}, "never says fraud"),
        ({"frauds_found": "none"}, "frauds_found: 'none' is no number"),
    ],
    "threshold": [
        ({"threshold": 0.2}, "in percent"),
        ({"threshold": 50}, "both mistakes cost the same"),
        ({"threshold": 25}, "if an alarm at a fire cost 1 as well"),
        ({"threshold": 80}, "the other way round"),
        ({"cost_at_50": 1}, "number of mistakes"),
        ({"cost_at_50": 3}, "number of alarms"),
        ({"cost_at_8": 12}, "a missed fire 4"),
        ({"cost_at_yours": 4}, "a missed fire 4"),
        ({"cost_at_yours": 2}, "cost_at_yours: an alarm is given only above the threshold"),
        ({"cost_at_50": 6}, "cost_at_50: 6 is not right, go through the evenings"),
        ({"threshold": "20 %"}, "threshold: '20 %' is no number"),
        ({"after_a_rebuild": "up"}, "should come earlier"),
    ],
    "learning_curves": [
        ({"A": "smaller learning rate"}, "slower still"),
        ({"B": "train longer"}, "already rising"),
        ({"C": "train longer"}, "more of the same"),
        ({"D": "more training data"}, "no gap to close"),
        ({"best_epoch_of_B": 40}, "judge by the validation error"),
        ({"best_epoch_of_B": 10}, "lower still"),
        ({"best_epoch_of_B": 18}, "that is the error"),
        ({"use_now": "B"}, "the training error does not count"),
    ],
    "overfitting": [
        ({"overfits_more": "small"}, "its gap is 2 points"),
        ({"images_apart": 1}, "now take it of 500"),
        ({"images_apart": 44}, "training accuracies"),
        ({"better_on_new": "large"}, "another 500"),
        ({"better_on_new": "small"}, "does not make it better"),
        ({"expect": 99.8}, "learned by heart"),
        ({"expect": 95}, "do not mix in"),
        ({"expect": 0.9}, "not as a share"),
        ({"expect": 80}, "does better"),
        ({"expect": "90 %"}, "expect: '90 %' is no number"),
    ],
    "life_cycle": [
        ({"costs": 2, "labels": 1}, "costs comes before labels"),
        ({"split": 4, "baseline": 3}, "is no longer a test"),
        ({"baseline": 5, "train": 4}, "whether a network is needed"),
        ({"threshold": 7, "test": 6}, "nothing may be chosen any more"),
        ({"test": 8, "watch": 7}, "is not put to use"),
        ({"watch": 7}, "has to occur once"),
        ({"split": "3"}, "split: '3' is no number"),
    ],
    "change_of_mind": [
        ({"common": "same"}, "compare with the baseline"),
        ({"camera": "more"}, "neither that clinic"),
        ({"missed": "same"}, "the dear mistake"),
        ({"parameters": "less"}, "need not overfit"),
        ({"chosen": "more"}, "the luckiest of forty"),
        ({"skin_tones": "same"}, "for whom is the model wrong"),
    ],
}


def changed(exercises, name, changes):
    """The solution with some of its choices replaced."""
    right = exercises.solutions[name]
    assert changes.keys() <= right().keys()
    return lambda: {**right(), **changes}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even if a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, changes, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, changes, says):
    found = exercises.verdict_on(name, changed(exercises, name, changes))
    assert found.startswith("not right yet: ") and says in found


@pytest.mark.parametrize("name", WRONG)
def test_one_missing_answer_is_not_done_yet(exercises, name):
    for question in exercises.solutions[name]():
        assert exercises.verdict_on(name, changed(exercises, name, {question: ...})) == "not done yet"


@pytest.mark.parametrize(
    "name, table, allowed",
    [
        ("paradigms", "PARADIGM_REPLIES", "PARADIGMS"),
        ("leaks", "LEAK_REPLIES", "LETTERS"),
        ("baselines", "BASELINE_REPLIES", "BASELINES"),
        ("baselines", "FRAUD_REPLIES", ("better", "worse")),
        ("threshold", "REBUILD_REPLIES", ("up", "down")),
        ("learning_curves", "REMEDY_REPLIES", "REMEDIES"),
        ("learning_curves", "USE_REPLIES", ("A", "B", "C", "D")),
        ("overfitting", "OVERFIT_REPLIES", ("small", "large")),
        ("overfitting", "BETTER_REPLIES", ("small", "large", "cannot tell")),
        ("change_of_mind", "MIND_REPLIES", ("more", "less", "same")),
    ],
)
def test_every_wrong_choice_gets_its_own_reason(exercises, name, table, allowed):
    """All choices but the right one, for every question: each is answered, and by words of its own."""
    replies = getattr(exercises.module, table)
    allowed = getattr(exercises.module, allowed) if isinstance(allowed, str) else allowed
    right = exercises.solutions[name]()
    for question, reply in replies.items():
        assert set(reply) == set(allowed) - {right[question]}
        assert len(set(reply.values())) == len(reply)
        for choice, words in reply.items():
            found = exercises.verdict_on(name, changed(exercises, name, {question: choice}))
            assert found == f"not right yet: {question}: {words}"


def test_more_than_one_order_of_the_life_cycle_is_right(exercises):
    """What comes before what is all that is asked: the locked apples may be put aside first."""
    for changes in ({"split": 2, "labels": 3}, {"split": 1, "costs": 2, "labels": 3}):
        assert exercises.verdict_on("life_cycle", changed(exercises, "life_cycle", changes)) == "done"
    right = exercises.solutions["life_cycle"]()
    assert {step for pair in exercises.module.BEFORE for step in pair[:2]} == set(right)


def test_the_threshold_makes_no_difference_on_a_hundred_evenings(exercises):
    """100 evenings with a chance of fire of 20 %: 80 false alarms cost as much as 20 missed fires."""
    share = exercises.solutions["threshold"]()["threshold"] / 100
    np.testing.assert_allclose(100 * (1 - share) * 1, 100 * share * 4)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)
    for name in exercises.names:
        handed_out = exercises.stub(name)()
        if isinstance(handed_out, dict):
            assert list(handed_out) == list(exercises.solutions[name]())
