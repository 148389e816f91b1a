"""Build the course's site: `python .ci/build_site.py`, then open build/site/index.html.

python .ci/build_site.py                              the whole course
python .ci/build_site.py ch01_intro ch06_backprop     some chapters, into the same place

Needs `python -m pip install ".[site]"`. A lesson is executed by pytest's own notebook check, and again only
if its code, its chapter's data, or the versions of Python, NumPy or PyTorch have changed; prose may change.
A lesson that fails its check gets no page, and the command says which. The pages open no connection.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import course
import jupytext
import nbformat
import terms_and_papers
from sphinx.cmd.build import main as sphinx

BUILD = course.COURSE / "build"
EXECUTED, STAGED, SITE = BUILD / "notebooks", BUILD / "staged", BUILD / "site"
SETTINGS = Path(__file__).with_name("site")

# ---- executed notebooks ---------------------------------------------------------------------------------


def executed(path: Path):
    """The last executed notebook of a lesson, or None if it no longer is what the lesson would give."""
    kept = EXECUTED / path.parent.name / f"{path.stem}.ipynb"
    if kept.exists():
        notebook = nbformat.read(kept, as_version=4)
        if notebook.metadata.get("fingerprint") == course.fingerprint(path):
            return notebook
    return None


def execute(paths: list[Path]) -> bool:
    """Execute the lessons that need it, a line for each; whether all of them passed."""
    stale = [path for path in paths if executed(path) is None]
    if not stale:
        return True
    print(f"{len(stale)} of {len(paths)} pages to execute", flush=True)
    check = [sys.executable, "-m", "pytest", "-v", "--no-header", "--tb=short", "-k", "opens_as_notebook"]
    names = [str(path.relative_to(course.COURSE)) for path in stale]
    ran = subprocess.run([*check, "--notebooks", str(EXECUTED), *names], cwd=course.COURSE)
    return ran.returncode == 0


# ---- pages ----------------------------------------------------------------------------------------------


def unrun(path: Path):
    """A lesson as a notebook without outputs, to be downloaded."""
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return notebook


def linked(source: str, addresses: dict[str, str]) -> str:
    """`source` with every reference to a lesson as a link to its page."""
    for start, end in reversed(course.reference_places(source)):
        number = source[start:end]
        heading = re.match(r"#+ ", source[source.rfind("\n", 0, start) + 1 :])
        if number in addresses and not heading and source[start - 1 : start] != "[":
            source = f"{source[:start]}[{number}](../{addresses[number]}.ipynb){source[end:]}"
    return source


def page(path: Path, ran, addresses: dict[str, str]):
    """The notebook to show: the prose of today, the outputs of the last run, links, alternative texts."""
    notebook = unrun(path)
    outputs = iter([cell.outputs for cell in ran.cells if cell.cell_type == "code"])
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, addresses)
            continue
        cell.outputs = next(outputs)
        texts = [
            output.metadata.get("image/png", {}).get("alt") for output in cell.outputs if "metadata" in output
        ]
        if said := [text for text in texts if text]:
            cell.metadata["mystnb"] = {"image": {"alt": " And: ".join(said)}}
    first, _, rest = notebook.cells[0].source.partition("\n")
    files = [f"notebook <download/{path.stem}.ipynb>", f"script <{path.name}>"]
    files += [f"chapter with its data <download/{path.parent.name}.zip>"]
    row = " · ".join(f"{{download}}`{file}`" for file in files)
    if path.name == "exercises.py":
        row += " · [solutions](solutions.ipynb)"
    notebook.cells[0].source = f"{first}\n\nDownload: {row}\n{rest}"
    if path.name == "solutions.py":
        notebook.metadata["nosearch"] = True  # the search finds the exercise, not its answer
    return notebook


def page_links(text: str) -> str:
    """A README's links to lessons and to other READMEs as links to their pages."""
    text = re.sub(r"\(((?:ch\d\d_\w+/)?\w+)\.py\)", r"(\1.ipynb)", text)
    return re.sub(r"\((ch\d\d_\w+)/README\.md\)", r"(\1/index.md)", text)


def drawing(folders: list[Path]) -> str:
    """An SVG of which lesson needs which: a column for each chapter, an arc for each need."""
    place = {}
    for column, folder in enumerate(folders):
        for row, path in enumerate(course.lessons(folder)):
            place[str(course.title(path))] = (60 + 95 * column, 50 + 52 * row, path)
    width = 95 * len(folders) + 40
    height = max((y for _, y, _ in place.values()), default=0) + 50
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="100%" xmlns="http://www.w3.org/2000/svg" role="img" '
        'aria-label="Which lesson needs which: a column for each chapter, an arc from a lesson to each that '
        'needs it">'
    ]
    for number, (x, y, path) in place.items():
        for needed in course.needs(path):
            if needed in place:
                x0, y0, _ = place[needed]
                bend = 45 if x0 == x else 0
                curve = f"M{x0} {y0} C{(x0 + x) / 2 + bend} {y0} {(x0 + x) / 2 + bend} {y} {x} {y}"
                parts.append(f'<path class="need" d="{curve}"><title>{number} needs {needed}</title></path>')
    for number, (x, y, path) in place.items():
        words = html.escape(course.title(path).words)
        parts.append(
            f'<a href="{path.parent.name}/{path.stem}.html"><title>{number} {words}</title>'
            f'<circle cx="{x}" cy="{y}" r="17"/><text x="{x}" y="{y + 4}">{number}</text></a>'
        )
    return "\n".join([*parts, "</svg>"])


def stage(paths: list[Path], folders: list[Path]):
    """Lay out the sources of the site: a notebook for each page, an index for each chapter."""
    shutil.rmtree(STAGED, ignore_errors=True)
    addresses = {str(course.title(p)): f"{p.parent.name}/{p.stem}" for p in paths if course.is_lesson(p)}
    ready = {path: ran for path in paths if (ran := executed(path)) is not None}
    addresses = {
        number: to
        for number, to in addresses.items()
        if f"{to}.py" in {f"{p.parent.name}/{p.name}" for p in ready}
    }
    for folder in folders:
        left_out = shutil.ignore_patterns("test_*", "__pycache__", "*.ipynb", ".*", "README.md")
        shutil.copytree(folder, STAGED / folder.name, ignore=left_out)
        if (folder / "data" / "README.md").exists():
            shutil.copy(folder / "data" / "README.md", STAGED / folder.name / "data" / "README.md")
        (STAGED / folder.name / "download").mkdir()
        with_tests = BUILD / "archive" / folder.name
        shutil.rmtree(with_tests, ignore_errors=True)
        shutil.copytree(folder, with_tests, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb", ".*"))
        archive = STAGED / folder.name / "download" / folder.name
        shutil.make_archive(str(archive), "zip", BUILD / "archive", folder.name)
        inside = [path.stem for path in paths if path.parent == folder and path in ready]
        if (folder / "data" / "README.md").exists():
            inside.append("data/README")
        tree = "\n".join(inside)
        about = folder / "README.md"
        text = about.read_text(encoding="utf-8") if about.exists() else f"# {folder.name}\n"
        missing = [path for path in paths if path.parent == folder and path not in ready]
        for path in missing:  # no page: the name without a link
            text = re.sub(rf"\[([^\]]*)\]\({path.name}\)", r"\1 (no page: its check failed)", text)
        text = f"{page_links(text)}\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{tree}\n```\n"
        (STAGED / folder.name / "index.md").write_text(text, encoding="utf-8")
    for path, ran in ready.items():
        nbformat.write(unrun(path), STAGED / path.parent.name / "download" / f"{path.stem}.ipynb")
        nbformat.write(page(path, ran, addresses), STAGED / path.parent.name / f"{path.stem}.ipynb")

    def to(path: Path) -> str:
        number = course.title(path)
        return f"[{number} {number.words}]({path.parent.name}/{path.stem}.ipynb)"

    lines = [
        "# Terms",
        "",
        "Each term with the lesson that introduces it.",
        "",
        "| term | introduced in |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {to(path)} |" for name, path in terms_and_papers.first_terms() if path in ready]
    (STAGED / "terms.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = [
        "# Papers",
        "",
        "Each source with a claim that a lesson reproduces, and the assert or test that holds it.",
    ]
    lines += ["", "| source | lesson | held by |", "| --- | --- | --- |"]
    for source, path, claims in terms_and_papers.reproduced():
        if path in ready:
            held = "; ".join(f"`{claim}`" if claim.startswith("test_") else f"“{claim}”" for claim in claims)
            lines.append(f"| {source.replace('|', ' ')} | {to(path)} | {held} |")
    (STAGED / "papers.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = (
        "# Which lesson needs which\n\nEach column is a chapter. An arc leads from a lesson to a later one "
    )
    text += "that needs it; the table on each chapter's page says the same in words.\n\n"
    text += f"```{{raw}} html\n{drawing(folders)}\n```\n"
    (STAGED / "needs.md").write_text(text, encoding="utf-8")
    readme = page_links((course.COURSE / "README.md").read_text(encoding="utf-8"))
    there = {f"{folder.name}/index" for folder in folders} | {f"{p.parent.name}/{p.stem}" for p in ready}
    readme = re.sub(
        r"\[([^\]]*)\]\((ch\d\d_\w+/\w+)\.(?:ipynb|md)\)",
        lambda found: found[0] if found[2] in there else found[1],
        readme,
    )
    links = "On this site: [all terms](terms.md), [the papers whose claims are reproduced](papers.md), and "
    links += "[which lesson needs which](needs.md)."
    readme = readme.replace("\n## Start\n", f"\n{links}\n\n## Start\n", 1)
    tree = "\n".join([*(f"{folder.name}/index" for folder in folders), "terms", "papers", "needs"])
    text = f"{readme}\n```{{toctree}}\n:hidden:\n:titlesonly:\n\n{tree}\n```\n"
    (STAGED / "index.md").write_text(text, encoding="utf-8")
    return ready


# ---- what a built page must be --------------------------------------------------------------------------


class Page(HTMLParser):
    """What the checks need from a page: links, what it loads, anchors, pictures, headings."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.loads, self.anchors, self.pictures, self.headings = [], [], set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") not in (
            "index",
            "search",
            "next",
            "prev",
            "canonical",
            "author",
        ):
            self.loads.append(given.get("href", ""))
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "img":
            self.pictures.append((given.get("src", ""), given.get("alt", "")))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))


ELSEWHERE = re.compile(r"(?:https?:)?//")


def faults(site: Path) -> list[str]:
    """What is wrong with a built site: loads from elsewhere, dead links, pictures without words, headings."""
    found = []
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    for path, seen in pages.items():
        name = path.relative_to(site)
        found += [f"{name} loads {target}" for target in seen.loads if ELSEWHERE.match(target)]
        for target in seen.links + seen.loads:
            if re.match(r"[a-z]+:", target) or ELSEWHERE.match(target):
                continue
            place, _, anchor = unquote(target).partition("#")
            to = (path.parent / place.partition("?")[0]).resolve() if place else path
            if not to.exists():
                found.append(f"{name} links to {target}, which is not there")
            elif anchor and to in pages and anchor not in pages[to].anchors:
                found.append(f"{name} links to {target}, and that page has no such place")
        for source, text in seen.pictures:
            if not text.strip() or text.strip() == Path(source).name or "/" in text[:20]:
                found.append(f"{name} has a picture without words: {source}")
        for above, below in zip([0, *seen.headings], seen.headings):
            if below > above + 1:
                found.append(f"{name} has a heading of level {below} below one of level {above}")
                break
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"""(?:url\(|@import )\s*["']?((?:https?:)?//[^"')]+)""", text):
            found.append(f"{path.relative_to(site)} loads {target}")
    return found


def build(folders: list[Path]) -> int:
    paths = [path for folder in folders for path in course.lessons(folder)]
    for folder in folders:
        paths += [folder / name for name in course.APART if (folder / name).exists()]
    passed = execute(paths)
    ready = stage(paths, folders)
    for path in paths:
        if path not in ready:
            print(
                f"{path.parent.name}/{path.name} has no page: its check as a notebook fails", file=sys.stderr
            )
    shutil.rmtree(SITE, ignore_errors=True)
    status = sphinx(["-q", "-W", "--keep-going", "-b", "html", "-c", str(SETTINGS), str(STAGED), str(SITE)])
    found = faults(SITE)
    for fault in found:
        print(fault, file=sys.stderr)
    if passed and not status and not found:
        print(f"{len(ready)} pages; open {SITE / 'index.html'}")
    return int(not passed or bool(status) or bool(found))


if __name__ == "__main__":
    known = {folder.name: folder for folder in course.chapters()}
    if not set(sys.argv[1:]) <= known.keys():
        sys.exit(__doc__)
    sys.exit(build([known[name] for name in sorted(sys.argv[1:] or known)]))
