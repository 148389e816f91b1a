"""What the course's files say: lessons, numbers, needs, terms, sources; pytest and the tools read it here."""

import ast
import hashlib
import itertools
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

COURSE = Path(__file__).parents[1]
APART = ("exercises.py", "solutions.py", "capstone.py")  # percent scripts of another form
FIRST_EDITION = []  # chapters that the checks of the second edition do not look at yet

# ---- files and cells ------------------------------------------------------------------------------------


def in_chapter(path: Path) -> bool:
    return bool(re.match(r"ch\d\d_", path.parent.name)) and path.suffix == ".py"


def is_lesson(path: Path) -> bool:
    return in_chapter(path) and not path.name.startswith("test_") and path.name not in APART


def is_exercises(path: Path) -> bool:
    return in_chapter(path) and path.name in APART


class Cell(NamedTuple):
    kind: str  # "markdown" or "code"
    line: int  # of its first line after the marker, counted from 1
    text: str  # markdown without its "# "


def cells(path: Path) -> list[Cell]:
    """The cells of a percent script, in order."""
    lines = path.read_text(encoding="utf-8").split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("# %%")] + [len(lines)]
    found = []
    for start, stop in itertools.pairwise(starts):
        body = lines[start + 1 : stop]
        kind = "markdown" if "[markdown]" in lines[start] else "code"
        if kind == "markdown":
            body = [re.sub(r"^# ?", "", line) for line in body]
        found.append(Cell(kind, start + 2, "\n".join(body).strip("\n")))
    return found


class Title(NamedTuple):
    chapter: int
    number: int
    words: str

    def __str__(self):
        return f"{self.chapter}.{self.number}"


def title(path: Path) -> Title:
    """A lesson's number and point, from its first cell."""
    first = path.read_text(encoding="utf-8").split("\n")[1:2]
    found = re.fullmatch(r"# # (\d+)\.(\d+) (.+)", first[0] if first else "")
    if not found:
        raise ValueError(f"{path.name} has the title {first}, expected '# # N.M Title: the point'")
    return Title(int(found[1]), int(found[2]), found[3])


def chapters() -> list[Path]:
    return sorted(path for path in COURSE.glob("ch[0-9][0-9]_*") if path.is_dir())


def lessons(folder: Path | None = None) -> list[Path]:
    """The lessons of a chapter, or of the whole course, in the order of their numbers."""
    folders = [folder] if folder else chapters()
    return sorted((path for f in folders for path in f.glob("*.py") if is_lesson(path)), key=title)


def in_second_edition(path: Path) -> bool:
    return path.parent.name not in FIRST_EDITION


def fingerprint(path: Path) -> str:
    """Changes with a lesson's code, its chapter's data, Python, NumPy and PyTorch; not with its prose."""
    seen = hashlib.sha256()
    for name in ("numpy", "torch", "matplotlib"):
        seen.update(f"{name} {version(name)}\n".encode())
    seen.update(platform.python_version().encode())
    for cell in cells(path):
        if cell.kind == "code":
            seen.update(f"\n# %%\n{cell.text}".encode())
    for data in sorted((path.parent / "data").glob("*")):
        if data.name != "README.md":
            seen.update(data.name.encode() + hashlib.sha256(data.read_bytes()).digest())
    return seen.hexdigest()


# ---- sections -------------------------------------------------------------------------------------------


def section(path: Path, heading: str) -> str:
    """The markdown below a heading such as "Try it", up to the next heading of its level or above."""
    markdown = "\n\n".join(cell.text for cell in cells(path) if cell.kind == "markdown")
    found = re.search(
        rf"^## {re.escape(heading)}$(.*?)(?=^##? |\Z)", markdown, flags=re.MULTILINE | re.DOTALL
    )
    return found[1].strip("\n") if found else ""


def items(text: str, mark: str) -> list[str]:
    """The items of a list in `text`, each in one line; mark: a pattern such as r"\\d+\\. "."""
    found = re.findall(rf"^{mark}(.*(?:\n(?!{mark})[ \t]+.*)*)", text, flags=re.MULTILINE)
    return [re.sub(r"\s+", " ", item).strip() for item in found]


def exercises_of(path: Path) -> list[str]:
    return items(section(path, "Try it"), r"\d+\. ")


def tries(folder: Path) -> dict[str, list[dict]]:
    """For each lesson of a chapter what its "Try it" changes and what must then be seen: its tests' TRIES."""
    found = {}
    for tests in sorted(folder.glob("test_*.py")):
        for node in ast.parse(tests.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TRIES":
                found |= ast.literal_eval(node.value)
    return found


# ---- references -----------------------------------------------------------------------------------------

NUMBER = r"\b(?:1[0-2]|[1-9])\.[1-9]\d?\b"
LIST = rf"{NUMBER}(?:(?:, and|, or|,| and| or| to|–) (?:in )?{NUMBER}|–{NUMBER})*"
REFERENCES = (
    rf"(?i:\blessons?) {LIST}",
    rf"(?<!\w)\((?:see |from |as in |in )?{LIST}\)",  # (2.6), (2.6, 5.1), but not sqrt(2.6)
    rf"(?<!\w)\([^()$`\n]*?\b(?:in|from|of|see) {LIST}\)",  # (the area of 2.6)
    rf"{NUMBER}(?='s\b)",
    rf"(?<=^# # ){NUMBER}",  # a title
    rf"(?<=^# ){NUMBER}(?= [a-z_]+$)",  # a part of a file of tests
    rf"^# benchmarks: {NUMBER}(?:(?:, and|,| and) {NUMBER})*",
    rf"^\| {NUMBER} \|",  # a row of a map
    rf"^(?:# )?#+ {NUMBER}(?= )",
)


def needs_text(text: str) -> list[re.Match]:
    return list(
        re.finditer(r"\*\*You\s(?:# )?need\*\*(.*?)(?=\n#\n|\n\n|\*\*|\.\s|\Z)", text, flags=re.DOTALL)
    )


def reference_places(text: str) -> list[tuple[int, int]]:
    """(start, end) of every number in `text`, a whole file's, that refers to a lesson, in order."""
    spans = [found.span() for p in REFERENCES for found in re.finditer(p, text, flags=re.MULTILINE)]
    spans += [found.span(1) for found in needs_text(text)]
    for found in re.finditer(rf"(?<!\w)\([^()$`]*?{NUMBER}[^()$`]*\)", text):  # a bracket over two lines
        inside = re.sub(r"\s*\n(?:# )?", " ", found[0])
        if any(re.fullmatch(pattern, inside) for pattern in REFERENCES[1:3]):
            spans.append(found.span())
    spans += [found.span() for found in re.finditer(rf"(?i:\blessons?)\n# {NUMBER}", text)]
    places = {
        (start + found.start(), start + found.end())
        for start, end in spans
        for found in re.finditer(NUMBER, text[start:end])
    }
    return sorted(places)


def needs(path: Path) -> list[str]:
    """The numbers of the lessons that a lesson says it needs."""
    found = needs_text(path.read_text(encoding="utf-8"))
    return re.findall(NUMBER, found[0][1]) if found else []


# ---- terms and papers -----------------------------------------------------------------------------------


class Term(NamedTuple):
    name: str
    line: int
    paragraph: str


def terms(path: Path) -> list[Term]:
    """What a lesson introduces: its words in *asterisks* (_underscores_ are for emphasis and titles)."""
    found = []
    for cell in cells(path):
        if cell.kind == "markdown":
            body = re.split(r"^## (?:Try it|Sources)$", cell.text, flags=re.MULTILINE)[0]
            place = 0
            for paragraph in re.split(r"\n\s*\n", body):
                line = cell.line + body[: body.index(paragraph, place)].count("\n")
                place = body.index(paragraph, place) + len(paragraph)
                text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", " ", paragraph, flags=re.DOTALL)
                text = re.sub(r"^\s*[*-] ", "", re.sub(r"\s+", " ", text))
                for term in re.findall(r"(?<![*\w])\*(?![*\s])([^*]+?)(?<!\s)\*(?![*\w])", text):
                    found.append(Term(term, line, text))
    return found


class Source(NamedTuple):
    text: str
    claims: list[str]  # the beginning of an assert's message, or a test's name


def sources(path: Path) -> list[Source]:
    found = []
    for item in items(section(path, "Sources"), "- "):
        text, _, reproduced = item.partition("Reproduced:")
        claims = re.findall(r'"([^"]+)"|`?\b(test_\w+)', reproduced)
        found.append(Source(text.strip(), [quoted or name for quoted, name in claims]))
    return found


def messages(path: Path) -> list[str]:
    """The messages of a lesson's asserts (of an f-string its plain parts, one by one)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assert) and node.msg is not None:
            constants = [part.value for part in ast.walk(node.msg) if isinstance(part, ast.Constant)]
            found += [value for value in constants if isinstance(value, str)]
    return found


def test_names(folder: Path) -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("test_*.py")]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


# ---- generated parts of pages ---------------------------------------------------------------------------


def replace_part(text: str, name: str, made: str) -> str:
    """`text` with what stands between `<!-- name -->` and the next `<!-- end -->` replaced."""
    pattern = rf"(?s)(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end -->)"
    return re.sub(pattern, lambda _: made, text, count=1)  # an empty part would match twice
