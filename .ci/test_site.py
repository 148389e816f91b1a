"""A small site of two chapters is built from start to end, and the checks on built pages can fail."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEPT = {  # chapter: the files that make up its small form, quick to execute
    "ch02_math": ("derivatives.py",),
    "ch06_backprop": ("chain_rule.py", "exercises.py", "solutions.py"),
}

needs_site = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("sphinx", "myst_nb", "furo"))),
    reason='needs the packages of ".[site]"',
)


@pytest.fixture(scope="module")
def small_course(tmp_path_factory):
    """The course with two chapters and few lessons, in a folder of its own, and its site built once."""
    course = tmp_path_factory.mktemp("course")
    for name in ("conftest.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, course / name)
    shutil.copytree(ROOT / ".ci", course / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    for chapter, files in KEPT.items():
        shutil.copytree(ROOT / chapter / "data", course / chapter / "data")
        for name in (*files, "README.md"):
            if (ROOT / chapter / name).exists():
                shutil.copy(ROOT / chapter / name, course / chapter / name)
    subprocess.run([sys.executable, ".ci/pages.py"], cwd=course, check=True, capture_output=True)
    ran = subprocess.run(
        [sys.executable, ".ci/build_site.py"],
        cwd=course,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    return course, ran


@pytest.fixture
def site(small_course):
    course, ran = small_course
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return course / "build" / "site"


@needs_site
def test_the_site_is_built_and_has_its_pages(site):
    for page in ("index", "terms", "papers", "needs", "ch02_math/index", "ch06_backprop/chain_rule"):
        assert (site / f"{page}.html").exists(), page
    text = (site / "ch06_backprop" / "chain_rule.html").read_text(encoding="utf-8")
    assert "The chain rule" in text and "data:image" not in text
    assert (site / "searchindex.js").exists() and (site / "_static" / "tex-svg-full.js").exists()
    downloads = {path.name for path in (site / "_downloads").rglob("*.*")}
    assert {"chain_rule.ipynb", "chain_rule.py", "ch06_backprop.zip"} <= downloads


@needs_site
def test_pictures_have_words_and_nothing_comes_from_elsewhere(site):
    """`faults` has looked at every page already; here the pages are looked at in another way."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    pictures = [found for text in pages.values() for found in re.findall(r"<img[^>]*>", text)]
    assert any('alt="Figure: ' in picture for picture in pictures)
    assert all(re.search(r'alt="[^"]{3,}"', picture) for picture in pictures)
    for path, text in pages.items():
        assert not re.search(
            r"""<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(?:https?:)?//""", text
        ), path


@needs_site
def test_solutions_are_not_in_the_search(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    names = re.search(r'"docnames":\s*\[(.*?)\]', index)[1]
    assert '"ch06_backprop/chain_rule"' in names
    titles = re.search(r'"titles":\s*\[(.*?)\]', index)[1]
    assert "Solutions" not in titles
    if (ROOT / "ch06_backprop" / "solutions.py").exists():
        assert (site / "ch06_backprop" / "solutions.html").exists()


@needs_site
def test_a_second_build_executes_nothing(small_course, site):
    course, _ = small_course
    again = [sys.executable, ".ci/build_site.py", "ch06_backprop"]
    ran = subprocess.run(again, cwd=course, capture_output=True, encoding="utf-8", errors="replace")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "to execute" not in ran.stdout


@needs_site
def test_faults_are_found(tmp_path):
    sys.path.append(str(ROOT / ".ci"))
    import build_site

    page = tmp_path / "index.html"
    page.write_text('<h1 id="a">A</h1><a href="#a">a</a><img src="x.png" alt="Figure: x">', encoding="utf-8")
    (tmp_path / "x.png").write_bytes(b"")
    assert build_site.faults(tmp_path) == []
    (tmp_path / "b.html").write_text(
        '<script src="https://elsewhere/x.js"></script><a href="none.html">n</a><a href="index.html#z">z</a>'
        '<h1>A</h1><h3>C</h3><img src="x.png">',
        encoding="utf-8",
    )
    (tmp_path / "c.css").write_text("p { background: url(//elsewhere/y.png) }", encoding="utf-8")
    said = "\n".join(build_site.faults(tmp_path))
    for part in (
        "loads https:",
        "none.html, which is not",
        "no such place",
        "level 3",
        "without words",
        "c.css",
    ):
        assert part in said


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@needs_site
def test_code_can_be_read(site):
    """Highlighted code has a contrast of at least 4.5 with its ground (WCAG 2.1, AA), light and dark."""
    text = (site / "_static" / "pygments.css").read_text(encoding="utf-8")
    light, _, dark = text.partition('body[data-theme="dark"]')
    for name, block in {"light": light, "dark": dark}.items():
        ground = re.search(r"\.highlight \{ background: (#\w{6})", block)[1]
        rules = [rule for rule in re.findall(r"\{([^{}]*)\}", block) if "background-color" not in rule]
        colors = {color for rule in rules for color in re.findall(r"(?<!-)color: (#\w{6})", rule)}
        assert len(colors) > 3
        for color in colors:
            above, below = sorted((luminance(color), luminance(ground)), reverse=True)
            assert (above + 0.05) / (below + 0.05) >= 4.5, (name, color, ground)
