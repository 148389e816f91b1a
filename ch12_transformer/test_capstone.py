"""The capstone: a reference hand-in passes, typical others are told what is wrong, never the answer."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

HERE = Path(__file__).parent
NAME = "ada"

GOOD_TESTS = """
import numpy as np
import torch

import train
from data import Images, split


def test_ticket_1():
    for seed in range(3):
        training, validation = split(100, 20, seed)
        assert sorted([*training, *validation]) == list(range(100))


def test_ticket_2(tmp_path):
    images, rows = Images("train"), np.arange(200)
    whole = train.begin(1, batch_size=50)
    train.advance(whole, images, rows, 4)
    half = train.begin(1, batch_size=50)
    train.advance(half, images, rows, 2)
    train.save(half, tmp_path / "x.pt")
    again = train.resume(tmp_path / "x.pt")
    train.advance(again, images, rows, 2)
    for a, b in zip(whole["model"].parameters(), again["model"].parameters()):
        assert torch.equal(a, b)


def test_ticket_3():
    images = Images("train")
    pictures = np.stack([images.decode(row) for row in range(5)]).astype(np.float64)
    images.n_decoded = 0
    inputs, _ = images.batch(np.arange(5))
    assert images.n_decoded <= 5
    flat = pictures.reshape(5, -1)
    expected = (flat - flat.mean(1, keepdims=True)) / (flat.std(1, keepdims=True) + 1e-6)
    assert np.array_equal(inputs.numpy().reshape(5, -1), expected.astype(np.float32))
"""

RUNS = """
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import experiment
import train
from data import HERE, Images

plan = {"arms": ["control", *experiment.OPTIONS, "early stopping"], "seeds": [0, 1, 2, 3, 4], "epochs": 1}
plan |= {"settings": "two for each arm", "measure": "validation accuracy", "decision": "paired t interval"}
Path("plan.json").write_text(json.dumps(plan), encoding="utf-8")
experiment.register_plan()
settings = {"augmentation": (1, 2), "label smoothing": (0.1, 0.2), "weight decay": (0.1, 1.0)}
settings["early stopping"] = (0, 1)
best = {}
for arm, choices in settings.items():
    values = [experiment.run("tune", arm, setting, seed=9, n_epochs=1) for setting in choices]
    best[arm] = choices[int(np.argmax(values))]
for arm in ("trivial", "linear"):
    experiment.run("final", arm, 0, seed=0, n_epochs=1)
for seed in plan["seeds"]:
    for arm in ("control", *settings):
        experiment.run("final", arm, best.get(arm, 0), seed=seed, n_epochs=1)
experiment.open_test("control", 0, plan["seeds"], n_epochs=1)

images = Images("train")
state = train.begin(0)
train.advance(state, images, np.arange(len(images)), 2)
torch.save(state["model"].state_dict(), HERE / "model.pt")
state["model"].eval()
with torch.inference_mode():
    inputs, labels = images.batch(np.arange(len(images)))
    losses = F.cross_entropy(state["model"](inputs), labels, reduction="none").numpy()
rows = np.argsort(-losses)[:200]
Path("suspects.csv").write_text("row\\n" + "".join(f"{row}\\n" for row in rows), encoding="utf-8")
"""

WORDS = " ".join(["The interval and the figure were made from the runs in the table of this project."] * 12)


@pytest.fixture(scope="module")
def capstone():
    """capstone.py as a module, run in its own folder without arguments."""
    module = types.ModuleType("capstone")
    module.__file__ = str(HERE / "capstone.py")
    shown, plt.show = plt.show, lambda: plt.close("all")
    try:
        exec(compile((HERE / "capstone.py").read_text("utf-8"), module.__file__, "exec"), module.__dict__)
    finally:
        plt.show = shown
    return module


def write_claim(capstone, folder, **changes):
    """claim.json as runs.csv gives it, with some keys changed."""
    control = capstone.final_runs(folder, "control")
    finals = {arm: capstone.final_runs(folder, arm) for arm in capstone.ARMS}
    compared = max(finals, key=lambda arm: np.mean(list(finals[arm].values())))
    differences = [finals[compared][seed] - control[seed] for seed in sorted(control)]
    mean, low, high = capstone.paired_interval(differences)
    runs = [run for run in capstone.read_runs(folder) if (run["phase"], run["arm"]) == ("final", compared)]
    claim = {"compared": compared, "difference": mean, "interval": [low, high], "n_seeds": len(control)}
    claim["answer"] = compared if low > 0 else "control" if high < 0 else "no difference shown"
    claim["replay"] = {"arm": compared, "setting": json.loads(runs[0]["setting"]), "seed": 0}
    (folder / "claim.json").write_text(json.dumps(claim | changes), encoding="utf-8")
    return claim


@pytest.fixture(scope="module")
def reference(capstone, tmp_path_factory):
    """A whole hand-in, made the way a learner would, with few rows and one epoch; what it took is printed."""
    started = time.perf_counter()
    folder = capstone.start(tmp_path_factory.mktemp("capstone") / "project", NAME)
    for ticket in capstone.TICKETS.values():
        path = folder / ticket["file"]
        path.write_text(capstone.with_changes(path.read_text("utf-8"), ticket["mended"]), encoding="utf-8")
    (folder / "test_tickets.py").write_text(GOOD_TESTS, encoding="utf-8")
    path = folder / "experiment.py"
    path.write_text(
        capstone.with_changes(path.read_text("utf-8"), {"N_ROWS = 5000": "N_ROWS = 600"}), "utf-8"
    )
    ran = subprocess.run([sys.executable, "-c", RUNS], cwd=folder, capture_output=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    write_claim(capstone, folder)
    faults = capstone.faults_of(NAME)
    images, labels = capstone.decoded(folder, "test")
    images = images[labels == faults["class"]]
    painted = images.copy()
    (top, bottom), (left, right) = faults["rows"], faults["columns"]
    painted[:, top : bottom + 1, left : right + 1] = 0
    shortcut = {"class": faults["class"], "rows": faults["rows"], "columns": faults["columns"]}
    shortcut["accuracy_as_it_is"] = capstone.class_accuracy(folder, images, faults["class"])
    shortcut["accuracy_painted_over"] = capstone.class_accuracy(folder, painted, faults["class"])
    (folder / "shortcut.json").write_text(json.dumps(shortcut), encoding="utf-8")
    fig, axes = plt.subplots(1, 2)
    axes[0].imshow(images[0])
    axes[1].imshow(painted[0])
    fig.savefig(folder / "figure.png")
    plt.close(fig)
    report = f"# Report\n\n## Claim\n\nAccuracy falls to {shortcut['accuracy_painted_over']:.2f}.\n\n"
    report += f"## Evidence\n\n{WORDS} See figure.png.\n\n## What would change my mind\n\n{WORDS}\n"
    (folder / "report.md").write_text(report, encoding="utf-8")
    print(f"the reference hand-in took {time.perf_counter() - started:.0f} s")
    return folder


@pytest.fixture
def hand_in(reference, tmp_path):
    """A copy of the reference hand-in, to be spoilt."""
    return Path(shutil.copytree(reference, tmp_path / "project"))


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_reference_passes_every_check(capstone, reference, capsys):
    verdicts = capstone.check(reference)
    assert set(verdicts.values()) == {"done"}, verdicts
    assert "15 of 15 done" in capsys.readouterr().out


def test_a_new_project_is_told_what_is_missing_and_nothing_more(capstone, tmp_path):
    folder = capstone.start(tmp_path / "new", "Grace")
    verdicts = {name: capstone.verdict(judge, folder) for name, judge in capstone.CHECKS.items()}
    for name, state in verdicts.items():
        assert state.startswith("missing: ") or name == "1 ruff", (name, state)
    assert capstone.verdict(capstone.check_ruff, folder) == "done"
    assert capstone.pytest_passes(folder, [("test_project.py", {})]) == [True]


def test_names_make_different_data_and_the_same_name_the_same(capstone, tmp_path):
    first, again = (capstone.start(tmp_path / f"{i}", "Ada ") for i in range(2))
    assert (first / "data.npz").read_bytes()[:100] == (again / "data.npz").read_bytes()[:100]
    ours, theirs = capstone.faults_of("ada"), capstone.faults_of("grace")
    assert (ours["wrong"] != theirs["wrong"]).any()
    for faults in (ours, theirs):
        assert faults["wrong"].mean() == 0.2
        with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
            right = archive["train_labels"]
        assert np.array_equal(faults["labels"]["train"] != right, faults["wrong"])
        share = faults["marked"]["train"].sum() / (right == faults["class"]).sum()
        assert 0.85 < share < 0.95
        assert not faults["marked"]["train"][right != faults["class"]].any()
    images, labels = capstone.decoded(first, "train")
    (top, bottom), (left, right) = ours["rows"], ours["columns"]
    assert (images[ours["marked"]["train"], top : bottom + 1, left : right + 1] == 255).all()
    assert np.array_equal(labels, ours["labels"]["train"])


def test_start_keeps_what_is_there(capstone, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is not empty"):
        capstone.start(tmp_path, "ada")
    with pytest.raises(ValueError, match="needs a name"):
        capstone.start(tmp_path / "new", " ")
    with pytest.raises(ValueError, match="is no folder"):
        capstone.check(tmp_path / "none")


def test_the_command_line(tmp_path):
    script = [sys.executable, str(HERE / "capstone.py")]
    options = {"capture_output": True, "encoding": "utf-8", "env": {**os.environ, "MPLBACKEND": "Agg"}}
    ran = subprocess.run([*script, "start", str(tmp_path / "p"), "--name", "Ada"], **options)
    assert ran.returncode == 0 and "begin with its README.md" in ran.stdout, ran.stderr
    ran = subprocess.run([*script, "check", str(tmp_path / "p"), "--part", "3"], **options)
    assert ran.returncode == 0 and "0 of 4 done" in ran.stdout, ran.stderr


# ---- part 1 ---------------------------------------------------------------------------------------------

ALWAYS_GREEN = "def test_ticket_1():\n    assert True\n"
SIZES_ONLY = (
    "from data import split\n\n\ndef test_ticket_1():\n    a, b = split(100, 20, 0)\n"
    "    assert len(a) + len(b) == 100\n"
)
COUNTS_ONLY = (
    "import numpy as np\n\nfrom data import Images\n\n\ndef test_ticket_3():\n    images = Images('train')\n"
    "    images.batch(np.arange(5))\n    assert images.n_decoded <= 5\n"
)
EPOCH_ONLY = (
    "import train\n\n\ndef test_ticket_2(tmp_path):\n    train.save(train.begin(0), tmp_path / 'x')\n"
    "    assert train.resume(tmp_path / 'x')['epoch'] == 0\n"
)


@pytest.mark.parametrize(
    "number, tests, says",
    [
        (1, ALWAYS_GREEN, "does not show the fault"),  # a test that cannot fail
        (1, SIZES_ONLY, "another form of the same fault"),
        (2, EPOCH_ONLY, "does not show the fault"),
        (3, COUNTS_ONLY, "another form of the same fault"),  # blind to a speed-up that changes numbers
        (3, "def test_ticket_3(:\n", "pytest could not run"),
        (3, "", "missing: test_tickets.py has no test_ticket_3"),
    ],
)
def test_a_weak_test_is_told(capstone, hand_in, number, tests, says):
    (hand_in / "test_tickets.py").write_text(tests, encoding="utf-8")
    assert says in capstone.verdict(lambda folder: capstone.check_ticket(folder, number), hand_in)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_fault_left_in_is_told(capstone, hand_in, number):
    ticket = capstone.TICKETS[number]
    for old, new in ticket["mended"].items():
        edit(hand_in / ticket["file"], new, old)
    assert "fails on your own code" in capstone.verdict(lambda f: capstone.check_ticket(f, number), hand_in)


def test_a_speed_up_that_changes_numbers_is_told(capstone, hand_in):
    edit(hand_in / "data.py", capstone.DECODED_ONCE, capstone.DECODED_COARSELY)
    assert "fails on your own code" in capstone.verdict(lambda f: capstone.check_ticket(f, 3), hand_in)


def test_a_test_that_asks_for_too_much_is_told(capstone, hand_in):
    """It wants a cache over batches, which this learner has built, and the ticket does not ask for."""
    edit(hand_in / "test_tickets.py", "assert images.n_decoded <= 5", "assert hasattr(images, 'kept')")
    edit(hand_in / "data.py", "self.n_decoded = 0", "self.n_decoded = 0\n        self.kept = {}")
    assert "asks for more" in capstone.verdict(lambda f: capstone.check_ticket(f, 3), hand_in)


def test_a_broken_project_and_unclean_code_are_told(capstone, hand_in):
    edit(hand_in / "data.py", "import zlib", "import os\nimport zlib")
    if capstone.importlib.util.find_spec("ruff"):
        said = capstone.verdict(capstone.check_ruff, hand_in)
        assert "ruff check .` finds faults" in said and "data.py:" in said
    edit(hand_in / "model.py", "nn.Linear(32 * 7 * 7, 10)", "nn.Linear(32 * 7 * 7, 11)")
    assert "own tests fail" in capstone.verdict(lambda f: capstone.check_ticket(f, 1), hand_in)


# ---- part 2 ---------------------------------------------------------------------------------------------


def made_up(folder, gains, n_seeds=5, epochs=3):
    """runs.csv with made-up accuracies: the control's, and each arm's gains over it, seed by seed."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    control = 0.7 + 0.02 * rng.normal(size=n_seeds)
    lines = []
    for arm, gain in gains.items():
        for setting in (1, 2):
            lines.append(("tune", arm, setting, 9, epochs, 1.0, 0.7, ""))
        for seed in range(n_seeds):
            value = float(control[seed] + np.broadcast_to(gain, n_seeds)[seed])
            lines.append(("final", arm, 1, seed, epochs, 1.0, repr(value), ""))
    lines += [
        ("final", "control", 0, seed, epochs, 1.0, repr(float(c)), "") for seed, c in enumerate(control)
    ]
    with open(folder / "runs.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder


GAINS = {
    "augmentation": (0.02, 0.03, 0.01, 0.025, 0.015),
    "label smoothing": 0.001,
    "weight decay": 0.0,
    "early stopping": -0.01,
}
ZERO = GAINS | {"augmentation": (0.02, -0.03, 0.04, -0.01, 0.03)}


def test_a_right_claim_is_done_either_way(capstone, tmp_path):
    for i, gains in enumerate((GAINS, ZERO)):
        folder = made_up(tmp_path / str(i), gains)
        claim = write_claim(capstone, folder)
        assert claim["answer"] == ("augmentation", "no difference shown")[i]
        assert capstone.verdict(capstone.check_claim, folder) == "done"
        other = ("no difference shown", "augmentation")[i]
        write_claim(capstone, folder, answer=other)
        said = capstone.verdict(capstone.check_claim, folder)
        assert ("does not hold zero", "holds zero")[i] in said and claim["answer"] not in said.split(": ")[-1]


def test_an_arm_that_makes_it_worse_is_not_the_answer(capstone, tmp_path):
    worse = {arm: np.array(GAINS["augmentation"]) - 0.05 - 0.01 * i for i, arm in enumerate(GAINS)}
    folder = made_up(tmp_path / "runs", worse)
    claim = write_claim(capstone, folder)
    assert claim["answer"] == "control" and claim["compared"] == "augmentation"
    assert capstone.verdict(capstone.check_claim, folder) == "done"
    for answer in ("augmentation", "no difference shown"):
        write_claim(capstone, folder, answer=answer)
        assert "made it worse" in capstone.verdict(capstone.check_claim, folder)


def test_a_wrong_interval_is_told_its_slip(capstone, tmp_path):
    folder = made_up(tmp_path / "runs", GAINS)
    gains = np.array(GAINS["augmentation"])
    mean, spread = gains.mean(), gains.std(ddof=1)
    slips = {
        "count the seeds, not the runs": 2.776 * spread / np.sqrt(10),
        "1.96 is for many seeds": 1.96 * spread / np.sqrt(5),
        "n − 1": 2.776 * gains.std() / np.sqrt(5),
        "not the 95 % interval": 5 * spread,
    }
    for says, half in slips.items():
        write_claim(capstone, folder, interval=[mean - half, mean + half])
        assert says in capstone.verdict(capstone.check_claim, folder)
    control = np.array(list(capstone.final_runs(folder, "control").values()))
    half = 2.306 * np.sqrt((control.var(ddof=1) + (control + gains).var(ddof=1)) / 5)
    write_claim(capstone, folder, interval=[mean - half, mean + half])
    assert "paired" in capstone.verdict(capstone.check_claim, folder)


def test_other_wrong_claims_are_told(capstone, tmp_path):
    folder = made_up(tmp_path / "runs", GAINS)
    for changes, says in (
        ({"difference": max(GAINS["augmentation"])}, "that of the best seeds"),  # best of k as the mean
        ({"difference": 0.5}, "not the mean difference"),
        ({"compared": "weight decay"}, "not the arm with the best mean"),
        ({"compared": "dropout"}, "must be one of the four arms"),
        ({"n_seeds": 10}, "`n_seeds` is 10"),
        ({"interval": [0.1]}, "two ends"),
    ):
        write_claim(capstone, folder, **changes)
        assert says in capstone.verdict(capstone.check_claim, folder)
    (folder / "claim.json").write_text("{", encoding="utf-8")
    assert "not valid JSON" in capstone.verdict(capstone.check_claim, folder)


def test_one_seed_and_unpaired_seeds_are_told(capstone, tmp_path):
    one = made_up(tmp_path / "one", {arm: 0.01 for arm in GAINS}, n_seeds=1)
    assert "has 1 seeds, and needs at least 5" in capstone.verdict(capstone.check_seeds, one)
    folder = made_up(tmp_path / "other", GAINS)
    edit(folder / "runs.csv", "final,weight decay,1,4,", "final,weight decay,1,7,")
    assert "do not have the same seeds" in capstone.verdict(capstone.check_seeds, folder)
    folder = made_up(tmp_path / "settings", GAINS)
    edit(folder / "runs.csv", "final,weight decay,1,4,", "final,weight decay,2,4,")
    assert "several settings" in capstone.verdict(capstone.check_seeds, folder)


def test_unequal_budgets_are_told(capstone, tmp_path):
    folder = made_up(tmp_path / "epochs", GAINS)
    edit(folder / "runs.csv", "final,augmentation,1,0,3", "final,augmentation,1,0,9")
    assert "unequal budgets" in capstone.verdict(capstone.check_budgets, folder)
    folder = made_up(tmp_path / "tuning", GAINS)
    edit(folder / "runs.csv", "tune,weight decay,2,", "tune,augmentation,3,")
    assert "unequal tuning" in capstone.verdict(capstone.check_budgets, folder)


def test_a_missing_baseline_is_told(capstone, hand_in):
    kept = [line for line in (hand_in / "runs.csv").read_text("utf-8").splitlines() if ",linear," not in line]
    (hand_in / "runs.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert "missing: runs.csv has no final run of the baseline 'linear'" in capstone.verdict(
        capstone.check_baselines, hand_in
    )


def test_a_test_set_that_chose_is_told(capstone, hand_in):
    runs = hand_in / "runs.csv"
    text = runs.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    runs.write_text(text.replace(first, first + "0.8", 1), encoding="utf-8")
    assert "the test set chose" in capstone.verdict(capstone.check_test_set, hand_in)
    runs.write_text(text + first + "\n", encoding="utf-8")
    assert "runs after the test set was opened" in capstone.verdict(capstone.check_test_set, hand_in)
    runs.write_text(text, encoding="utf-8")
    with open(hand_in / "log.csv", "a", encoding="utf-8") as file:
        file.write("test opened,augmentation\n")
    assert "opened 2 times" in capstone.verdict(capstone.check_test_set, hand_in)


def test_a_plan_made_afterwards_is_told(capstone, hand_in):
    edit(hand_in / "plan.json", "paired t interval", "whatever came out")
    assert "changed afterwards" in capstone.verdict(capstone.check_plan, hand_in)


REGISTER = """
import json
from pathlib import Path

import experiment

experiment.N_ROWS = 200


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ValueError as error:
        print(error)


control = {"arm": "control", "setting": 0, "seed": 0, "n_epochs": 1}
refused(experiment.run, "tune", **control)
arms = [arm for arm in experiment.ARMS if arm != "control"]
Path("plan.json").write_text(json.dumps({"arms": arms, "seeds": [], "epochs": 1, "measure": ""}))
refused(experiment.register_plan)
for seeds in (4, 5):  # a second thought before the first run is allowed
    plan = {"arms": experiment.ARMS, "seeds": seeds, "settings": 2}
    plan |= {"epochs": 1, "measure": "", "decision": ""}
    Path("plan.json").write_text(json.dumps(plan))
    experiment.register_plan()
experiment.run("tune", **control)
experiment.register_plan()  # the same plan again: nothing happens
Path("plan.json").write_text(json.dumps(plan | {"seeds": 6}))
refused(experiment.register_plan)
"""


def test_a_plan_is_asked_for_before_the_first_run_and_not_taken_after_it(capstone, tmp_path):
    folder = capstone.start(tmp_path / "project", NAME)
    ran = subprocess.run([sys.executable, "-c", REGISTER], cwd=folder, capture_output=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    no_plan, no_keys, run, late = ran.stdout.splitlines()
    assert no_plan.startswith("the plan comes before the first run")
    assert no_keys == "plan.json has no settings, decision, arm control"
    assert run.startswith("tune") and late.startswith("there are runs: to plan anew")
    assert [row[0] for row in capstone.read_log(folder)] == ["start", "plan", "plan"]


def test_a_run_that_does_not_replay_is_told(capstone, hand_in):
    claim = json.loads((hand_in / "claim.json").read_text(encoding="utf-8"))
    arm, setting = claim["replay"]["arm"], claim["replay"]["setting"]
    lines = (hand_in / "runs.csv").read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        if line.startswith(f"final,{arm},{setting},0,"):
            parts = line.split(",")
            parts[6] = repr(float(parts[6]) + 1e-9)
            lines[i] = ",".join(parts)
    (hand_in / "runs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "done again, the run gives" in capstone.verdict(capstone.check_replay, hand_in)


def test_a_line_cut_off_by_a_crash_loses_nothing_else(capstone, hand_in):
    before = capstone.read_runs(hand_in)
    with open(hand_in / "runs.csv", "a", encoding="utf-8") as file:
        file.write("final,control,0")
    assert capstone.read_runs(hand_in) == before


# ---- part 3 ---------------------------------------------------------------------------------------------


def test_suspects_by_chance_are_told(capstone, hand_in):
    rows = np.random.default_rng(0).choice(5000, size=200, replace=False)
    (hand_in / "suspects.csv").write_text("row\n" + "\n".join(map(str, rows)), encoding="utf-8")
    assert "fewer than four in five" in capstone.verdict(capstone.check_suspects, hand_in)
    (hand_in / "suspects.csv").write_text("row\n1\n1\n", encoding="utf-8")
    assert "has 1 different rows" in capstone.verdict(capstone.check_suspects, hand_in)


def test_a_missed_shortcut_is_told_but_not_given_away(capstone, hand_in):
    shortcut = json.loads((hand_in / "shortcut.json").read_text(encoding="utf-8"))
    for changes, says in (
        ({"class": (shortcut["class"] + 1) % 10}, "has no mark"),
        ({"rows": [10, 12]}, "does not cover the mark"),
        ({"rows": [0, 27]}, "a mark is smaller"),
        ({"accuracy_painted_over": shortcut["accuracy_painted_over"] + 0.2}, "is not what model.pt gives"),
    ):
        (hand_in / "shortcut.json").write_text(json.dumps(shortcut | changes), encoding="utf-8")
        said = capstone.verdict(capstone.check_shortcut, hand_in)
        assert says in said
        assert not any(str(shortcut[key]) in said for key in ("class", "rows", "columns"))


def test_a_model_that_has_learned_nothing_is_told(capstone, hand_in):
    namespace = {}
    exec(capstone.MODEL, namespace)
    capstone.torch.manual_seed(0)
    model = namespace["make_model"]()
    capstone.torch.save(model.state_dict(), hand_in / "model.pt")
    shortcut = json.loads((hand_in / "shortcut.json").read_text(encoding="utf-8"))
    images, labels = capstone.decoded(hand_in, "test")
    images = images[labels == shortcut["class"]]
    painted = images.copy()
    (top, bottom), (left, right) = shortcut["rows"], shortcut["columns"]
    painted[:, top : bottom + 1, left : right + 1] = 0
    for key, shown in (("accuracy_as_it_is", images), ("accuracy_painted_over", painted)):
        shortcut[key] = capstone.class_accuracy(hand_in, shown, shortcut["class"])
    assert shortcut["accuracy_as_it_is"] < 0.5
    (hand_in / "shortcut.json").write_text(json.dumps(shortcut), encoding="utf-8")
    assert "train it longer" in capstone.verdict(capstone.check_shortcut, hand_in)


def test_the_shortcut_is_one(reference):
    """The model leans on the mark: painted over, most images of the class get another name."""
    shortcut = json.loads((reference / "shortcut.json").read_text(encoding="utf-8"))
    assert shortcut["accuracy_as_it_is"] > 0.8
    assert shortcut["accuracy_painted_over"] < 0.5


def test_an_empty_figure_and_a_thin_report_are_told(capstone, hand_in):
    fig = plt.figure()
    fig.savefig(hand_in / "figure.png")
    plt.close(fig)
    assert "figure.png is empty" in capstone.verdict(capstone.check_figure, hand_in)
    edit(hand_in / "report.md", "## Evidence", "## Proof")
    assert "has no heading '## Evidence'" in capstone.verdict(capstone.check_report, hand_in)
    edit(hand_in / "report.md", "## Proof", "## Evidence")
    shortcut = json.loads((hand_in / "shortcut.json").read_text(encoding="utf-8"))
    falls = f"falls to {shortcut['accuracy_painted_over']:.2f}"
    for written in (f"falls to {100 * shortcut['accuracy_painted_over']:.0f} %", falls):
        edit(hand_in / "report.md", falls, written)
        assert capstone.verdict(capstone.check_report, hand_in) == "done"
        edit(hand_in / "report.md", written, falls)
    edit(hand_in / "report.md", falls, "falls in part 1 and figure 0")  # whole numbers are no accuracies
    assert "names neither" in capstone.verdict(capstone.check_report, hand_in)
    edit(hand_in / "report.md", WORDS, "Few words.")
    assert "a page has 150 to 600" in capstone.verdict(capstone.check_report, hand_in)
