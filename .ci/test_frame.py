"""Tests of the course's own tools: each check is shown to pass what is right and to refuse what is wrong."""

import sys
import sysconfig
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
import course
import pages
import renumber
import report

LESSON = '''# %% [markdown]
# # 1.2 Halves: what is left of a number
#
# A *half* is what is left when a number is shared by two.
#
# It goes on from lesson 1.1. **You will build** `half`. **You
# need** numbers (1.1).

# %%
import matplotlib.pyplot as plt


def half(x):
    """x / 2."""
    return x / 2


print("half of nine is", half(9))

# %%
fig, ax = plt.subplots()
ax.plot([half(x) for x in range(4)])
plt.show()

# %% [markdown]
# The line rises by a half for each step.
#
# ## The claims, checked

# %%
assert half(9) == 4.5, "half of nine is four and a half"

# %% [markdown]
# ## Try it
#
# 1. Change nine to ten.
# 2. Divide by three.
# 3. Write `double` in
#    a blank cell.
#
# ## Sources
#
# - Euclid, _Elements_. Reproduced: "half of nine".
# - Nobody, _Nothing_.
'''
FIRST = (
    LESSON.replace("1.2 Halves", "1.1 Wholes")
    .replace("# It goes on from lesson 1.1. ", "# ")
    .replace("numbers (1.1)", "it")
)
TESTS = """TRIES = {
    "halves": [
        {"change": {"range(4)": "range(9)"}, "figure": 1},
        {"change": {"return x / 2": "return x / 3"}, "raises": "half of nine is four and a half"},
        {"add": "print('twice nine is', 18)", "after": "ax.plot", "prints": "twice nine is 18"},
    ]
}


def test_half(): ...
"""


@pytest.fixture
def frame(request):
    """The course's conftest.py as a module."""
    return request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A course of one chapter with two lessons, in place of this one."""
    folder = tmp_path / "ch01_numbers"
    folder.mkdir()
    (folder / "wholes.py").write_text(FIRST, encoding="utf-8")
    (folder / "halves.py").write_text(LESSON, encoding="utf-8")
    (folder / "test_numbers.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "README.md").write_text("<!-- map -->\n<!-- end -->\n", encoding="utf-8")
    for module in (course, pages, renumber):
        monkeypatch.setattr(module, "COURSE", tmp_path)
    return folder


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def refused(check, *args) -> str:
    """The message with which `check` fails."""
    with pytest.raises(pytest.fail.Exception) as error:
        check(*args)
    return str(error.value)


def test_a_lesson_is_read(folder):
    halves = folder / "halves.py"
    assert [str(course.title(path)) for path in course.lessons()] == ["1.1", "1.2"]
    assert course.needs(halves) == ["1.1"]
    assert [term.name for term in course.terms(halves)] == ["half"]
    assert course.exercises_of(halves)[2] == "Write `double` in a blank cell."
    assert course.sources(halves)[0].claims == ["half of nine"]
    assert course.sources(halves)[1].claims == []
    assert len(course.tries(folder)["halves"]) == 3


def test_references_are_found_and_numbers_are_not():
    text = "lesson 2.6 and (2.7), (3.1, 3.4); sqrt(2.5) or 2.5 cm, lessons 4.1, 4.2 and 4.3, lesson\n# 5.1"
    found = [text[start:end] for start, end in course.reference_places(text)]
    assert found == ["2.6", "2.7", "3.1", "3.4", "4.1", "4.2", "4.3", "5.1"]


def test_renumbering_moves_titles_and_references(folder, capsys):
    (folder / "zeros.py").write_text(FIRST.replace("1.1", "1.1"), encoding="utf-8")
    assert renumber.renumbered("see (1.1), 1.1 m", {"1.1": "1.2", "1.2": "1.3"}) == "see (1.2), 1.1 m"
    renumber.mend({"1.1": "1.2", "1.2": "1.3"}, leave=[folder / "zeros.py"])
    assert str(course.title(folder / "wholes.py")) == "1.2"
    assert str(course.title(folder / "halves.py")) == "1.3"
    assert course.needs(folder / "halves.py") == ["1.2"]
    assert str(course.title(folder / "zeros.py")) == "1.1"
    assert "from lesson 1.2" in capsys.readouterr().out


def test_the_form_is_kept(folder, frame, request):
    frame.keeps_the_form(folder / "halves.py", request.config)


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("# The line rises by a half for each step.\n#\n", "", "no prose after the figure"),
        ("print(", "class A: ...\n\n\nA.f = half\nprint(", "A.f is put on a class that is done"),
        ("# 3. Write", "# Write", "has 2 numbered items"),
        ("range(4)", "range(5)", "stands there 0 times"),
    ],
)
def test_another_form_is_refused(folder, frame, request, old, new, says):
    edit(folder / "halves.py", old, new)
    assert says in refused(frame.keeps_the_form, folder / "halves.py", request.config)


def test_tries_are_tried(folder, frame, request):
    for item in course.tries(folder)["halves"]:
        frame.try_it(item, folder / "halves.py", request.config)


@pytest.mark.parametrize(
    "item, says",
    [
        ({"change": {"range(4)": "range(9)"}, "figure": 2}, "was to show 2"),
        ({"change": {"return x / 2": "return y / 2"}, "figure": 1}, "NameError"),
        ({"change": {"range(4)": "range(9)"}, "raises": "half"}, "nothing stopped it"),
        ({"add": "print(1)", "prints": "twice"}, "was to show 'twice'"),
    ],
)
def test_a_try_that_shows_nothing_is_refused(folder, frame, request, item, says):
    assert says in refused(frame.try_it, item, folder / "halves.py", request.config)


def test_cells_are_run_again(folder, frame, request):
    frame.runs_again(folder / "halves.py", request.config)
    edit(
        folder / "halves.py",
        'is four and a half"',
        'is four and a half"\nhalf = half(9)  # another kind of thing',
    )
    with pytest.raises(TypeError):
        frame.runs_again(folder / "halves.py", request.config)
    edit(folder / "halves.py", "fig, ax", "# run it from the top\nfig, ax")
    edit(folder / "halves.py", "# another kind of thing", "# from the top: half is another kind of thing now")
    frame.runs_again(folder / "halves.py", request.config)


def test_terms_are_introduced_once(folder, frame, request):
    readme = folder.parent / "README.md"
    assert "introduces *half*" in refused(frame.introduces_terms_once, readme, request.config)
    edit(folder / "halves.py", "A *half* is", "A *half* (1.1) is")
    frame.introduces_terms_once(readme, request.config)


def test_references_lead_to_lessons(folder, frame, request):
    readme = folder.parent / "README.md"
    edit(folder / "halves.py", "lesson 1.1", "lesson 1.3")
    assert "refers to lesson 1.3" in refused(frame.refers_to_lessons, readme, request.config)


def test_reproduced_claims_are_held(folder, frame, request):
    readme = folder.parent / "README.md"
    frame.sources_are_reproduced(readme, request.config)
    edit(folder / "halves.py", 'Reproduced: "half of nine"', "Reproduced: test_half")
    frame.sources_are_reproduced(readme, request.config)
    edit(folder / "halves.py", "Reproduced: test_half", "Reproduced: test_third")
    assert "'test_third'" in refused(frame.sources_are_reproduced, readme, request.config)


def test_pages_are_made_and_checked(folder, frame, request):
    readme = folder.parent / "README.md"
    assert "pages.py` would write" in refused(frame.parts_are_current, readme, request.config)
    readme.write_text(pages.current(readme), encoding="utf-8")
    assert "1.2 [halves](ch01_numbers/halves.py)" in readme.read_text(encoding="utf-8")
    frame.parts_are_current(readme, request.config)
    page = folder / "README.md"
    text = (
        "# 1 Numbers\n\nWhole ones and others. More.\n\n<!-- lessons -->\n<!-- end -->\n\n[it](halves.py)\n"
    )
    page.write_text(text, encoding="utf-8")
    page.write_text(pages.current(page), encoding="utf-8")
    assert (
        "| 1.2 | [halves](halves.py) | Halves: what is left of a number | 5 min |  | 1.1 |"
        in page.read_text("utf-8")
    )
    frame.links_lead_somewhere(page, request.config)
    edit(page, "(halves.py)\n", "(thirds.py)\n")
    assert "thirds.py, which is not there" in refused(frame.links_lead_somewhere, page, request.config)
    assert pages.chapter_words(folder) == ("Numbers", "Whole ones and others.")


def test_rates_are_taken_in_chapter_by_chapter(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "RATES", tmp_path / "rates")
    info = {
        "cpu": {"brand_raw": "A CPU"},
        "machine": "x86_64",
        "gpu": None,
        "system": "Linux",
        "python_version": "3.11",
    }
    info |= {"numpy": "2.0", "torch": "2.7"}

    def rows(chapter, seconds):
        keys = ("numpy", "cpu  torch, library")
        return [
            {
                "fullname": f"{chapter}/test_x.py::y",
                "group": "g",
                "row": key,
                "stats": {"median": s},
                "extra_info": {},
            }
            for key, s in zip(keys, seconds)
        ]

    pages.take_in(
        {"machine_info": info, "benchmarks": rows("ch02_b", (3e-3, 1e-3)) + rows("ch01_a", (2.0, 1.0))}
    )
    pages.take_in({"machine_info": info, "benchmarks": rows("ch01_a", (4.0, 1.0))})
    assert "| numpy | 3 ms | 3× |" in pages.benchmark_part(Path("ch02_b"))
    assert "| numpy | 4 s | 4× |" in pages.benchmark_part(Path("ch01_a"))
    assert "Not measured" in pages.benchmark_part(Path("ch03_c"))


def test_the_report_has_versions_and_last_lines(folder):
    edit(folder / "halves.py", "plt.show()", "raise ValueError('no more')")
    text = report.report(folder / "halves.py")
    assert "Python 3" in text and "numpy 2" in text and "OMP_NUM_THREADS=" in text
    assert (
        "ended with exit code 1" in text and "ValueError: no more" in text and "half of nine is 4.5" in text
    )


def test_search_path_leaves_out_what_libraries_add(monkeypatch):
    """setuptools adds a folder of its own below site-packages when PyTorch's tools first import it."""
    from conftest import search_path

    before = search_path()
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(sysconfig.get_path("purelib"), "some", "_vendor"))])
    assert search_path() == before
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parent / "elsewhere")])
    assert len(search_path()) == len(before) + 1
