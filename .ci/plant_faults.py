"""Plant faults in a lesson's functions, one at a time, and name those that no test notices.

python .ci/plant_faults.py ch06_backprop [ch09_cnn/pooling.py ...] [--most 6] [--seed 0]

A fault changes one place inside a function or class: a sign, an operator, a constant, an axis, a lost term.
The lesson and the tests that use it then run in a copy of its chapter, each time in a fork of this process,
which has the libraries loaded (so not on Windows). What stays green is printed: a test is missing there, or
the place does not matter.
"""

import argparse
import ast
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

import matplotlib.pyplot  # noqa: F401  loaded once, for all forks
import pytest
import torchvision  # noqa: F401

ROOT = Path(__file__).parents[1]
PAIRS = ((ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.Lt, ast.GtE), (ast.Gt, ast.LtE), (ast.Eq, ast.NotEq))
OTHER = {a: b for pair in (*PAIRS, (ast.And, ast.Or)) for a, b in (pair, pair[::-1])}
NAMES = "max min, maximum minimum, argmax argmin, sum mean, exp expm1, log log1p, sqrt square, tanh sin"
RENAMED = {a: b for pair in NAMES.split(", ") for a, b in (pair.split(), pair.split()[::-1])}


def variants(node):
    """Faulty expressions to stand in the place of `node`."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in OTHER:
                yield ast.BinOp(left, OTHER[type(op)](), right)
            if isinstance(op, (ast.Add, ast.Sub)):
                yield left
        case ast.Compare(left, [op], right) if type(op) in OTHER:
            yield ast.Compare(left, [OTHER[type(op)]()], right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(OTHER[type(op)](), values)
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(float() as value):
            yield ast.Constant(0.0 if 0 < value <= 1e-3 else 2 * value + 0.1)
        case ast.Attribute(value, name) if name in RENAMED:
            yield ast.Attribute(value, RENAMED[name])


def planted(source: str):
    """(line, text before, text after, the whole source with it) for every fault in a function or class."""
    lines = source.encode().split(b"\n")
    offset = [0]
    for line in lines:
        offset.append(offset[-1] + len(line) + 1)
    whole = b"\n".join(lines)
    for top in ast.parse(source).body:
        if not isinstance(top, (ast.FunctionDef, ast.ClassDef)):
            continue
        aside = (ast.Raise, ast.JoinedStr, ast.arguments)  # messages and defaults
        hidden = {n for part in ast.walk(top) if isinstance(part, aside) for n in ast.walk(part)}
        for node in ast.walk(top):
            for faulty in variants(node) if node not in hidden else ():
                start = offset[node.lineno - 1] + node.col_offset
                stop = offset[node.end_lineno - 1] + node.end_col_offset
                new = ast.unparse(faulty)
                changed = whole[:start] + f"({new})".encode() + whole[stop:]
                yield node.lineno, whole[start:stop].decode(), new, changed.decode()


def uses(item, stem: str) -> bool:
    """Whether the test is the lesson's own run, asks for the lesson, or is given its name as a parameter."""
    if (item.path.stem, item.name) == (stem, "runs") or stem in getattr(item, "fixturenames", ()):
        return True
    return stem in getattr(getattr(item, "callspec", None), "params", {}).values()


def passes(lesson: Path, source: str, timeout: float) -> bool:
    """Whether the lesson with this source, and the tests that use it, are green in time."""

    class Chosen:
        def pytest_collection_modifyitems(self, items):
            items[:] = [item for item in items if uses(item, lesson.stem)]

    with tempfile.TemporaryDirectory() as scratch:
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, scratch)
        chapter = shutil.copytree(lesson.parent, Path(scratch, lesson.parent.name))
        (chapter / lesson.name).write_text(source, encoding="utf-8")
        child = os.fork()
        if not child:
            signal.alarm(int(timeout))  # ends the fork, which counts as noticed
            os.chdir(scratch)
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            options = ["-x", "-q", "--benchmark-disable", "-p", "no:cacheprovider"]
            os._exit(pytest.main([chapter.name, *options], plugins=[Chosen()]))
        return os.waitpid(child, 0)[1] == 0


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("places", nargs="+", type=Path, help="lessons, or chapters")
parser.add_argument("--most", type=int, default=6, help="faults a lesson (default 6)")
parser.add_argument("--seed", type=int, default=0, help="which of the faults (default 0)")
options = parser.parse_args()
lessons = [
    lesson.resolve()
    for place in options.places
    for lesson in (sorted(place.glob("*.py")) if place.is_dir() else [place])
    if not lesson.name.startswith("test_")
    and lesson.name not in ("exercises.py", "solutions.py", "capstone.py")
]
for lesson in lessons:
    source = lesson.read_text(encoding="utf-8")
    started = time.perf_counter()
    if not passes(lesson, source, timeout=3600):
        sys.exit(f"{lesson.name}: not green without a fault")
    timeout = 30 + 3 * (time.perf_counter() - started)
    faults = list(planted(source))
    chosen = random.Random(options.seed).sample(faults, min(options.most, len(faults)))
    noticed = 0
    for line, before, after, faulty in chosen:
        if passes(lesson, faulty, timeout):
            print(
                f"{lesson.name}:{line}: not noticed: {' '.join(before.split())}  became  {after}", flush=True
            )
        else:
            noticed += 1
    print(f"{lesson.name}: {noticed} of {len(chosen)} noticed, of {len(faults)} possible", flush=True)
