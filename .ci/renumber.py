"""Make room for a lesson that was inserted, and mend every reference to those that move.

python .ci/renumber.py ch02_math/curvature.py

The new file carries its number in its title (`# # 2.6 Curvature: …`). Every other lesson of the chapter with
that number or a later one moves up by one, in its own title and wherever a lesson, a test or a page refers to
it: "lesson 2.6", "lessons 2.5, 2.6 and 2.7", "(2.6)", "(2.6, 5.1)", "2.6's", "**You need** … 2.6", "## 2.6 …".
The new file itself is left as it is: its references are already to the new numbers. Every line that changes
is printed, to be read once: a decimal number in brackets would be taken for a lesson.
"""

import re
import sys
from pathlib import Path

COURSE = Path(__file__).parents[1]
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


def spans(text: str):
    """(start, end) of every place in `text` that refers to lessons."""
    for pattern in REFERENCES:
        for found in re.finditer(pattern, text, flags=re.MULTILINE):
            yield found.span()
    for found in re.finditer(r"\*\*You need\*\*(.*?)(?=\n#\n|\n\n|\*\*You|\Z)", text, flags=re.DOTALL):
        for number in re.finditer(NUMBER, found[1]):
            yield found.start(1) + number.start(), found.start(1) + number.end()
    for found in re.finditer(rf"(?<!\w)\([^()$`]*?{NUMBER}[^()$`]*\)", text):  # a bracket over two lines
        inside = re.sub(r"\s*\n(?:# )?", " ", found[0])
        if any(re.fullmatch(pattern, inside) for pattern in REFERENCES[1:3]):
            yield found.span()
    for found in re.finditer(rf"(?i:\blessons?)\n# {NUMBER}", text):
        yield found.span()


def renumbered(text: str, new: dict[str, str]) -> str:
    """`text` with every reference to a lesson in `new` mended."""
    places = set()
    for start, end in spans(text):
        places |= {
            (start + found.start(), start + found.end())
            for found in re.finditer(NUMBER, text[start:end])
            if found[0] in new
        }
    for start, end in sorted(places, reverse=True):
        text = text[:start] + new[text[start:end]] + text[end:]
    return text


def mend(new: dict[str, str], leave=()):
    """Mend all files of the course but those in `leave`, and print what changed."""
    for path in sorted([*COURSE.glob("ch*/*.py"), *COURSE.glob("ch*/README.md"), COURSE / "README.md"]):
        if path in leave:
            continue
        old = path.read_bytes().decode("utf-8")
        text = renumbered(old, new)
        for before, after in zip(old.split("\n"), text.split("\n")):
            if before != after:
                print(f"{path.relative_to(COURSE)}: {after}")
        if text != old:
            path.write_bytes(text.encode("utf-8"))


def title_number(path: Path) -> tuple[int, int]:
    """(6, 3) for a lesson that begins with `# # 6.3 …`."""
    found = re.match(r"# %% \[markdown\]\n# # (\d+)\.(\d+) ", path.read_text(encoding="utf-8"))
    if not found:
        sys.exit(f"{path} does not begin with '# %% [markdown]' and '# # N.M Title: the point'")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(__doc__)
    inserted = Path(sys.argv[1]).resolve()
    chapter, place = title_number(inserted)
    numbers = []
    for path in inserted.parent.glob("*.py"):
        if path != inserted and not path.name.startswith("test_"):
            if path.name not in ("exercises.py", "solutions.py", "capstone.py"):
                numbers.append(title_number(path))
    if (chapter, place) not in numbers:
        sys.exit(f"no other lesson has the number {chapter}.{place}: nothing has to move")
    moved = [n for c, n in numbers if c == chapter and n >= place]
    mend({f"{chapter}.{n}": f"{chapter}.{n + 1}" for n in moved}, leave=[inserted])
