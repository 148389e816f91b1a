"""Make room for a lesson that was inserted, and mend every reference to those that move.

python .ci/renumber.py ch02_math/curvature.py

The new file carries its number in its title (`# # 2.6 Curvature: …`). Every other lesson of the chapter with
that number or a later one moves up by one, in its own title and wherever a lesson, a test or a page refers to
it: "lesson 2.6", "lessons 2.5, 2.6 and 2.7", "(2.6)", "(2.6, 5.1)", "2.6's", "**You need** … 2.6".
The new file itself is left as it is: its references are already to the new numbers. Every line that changes
is printed, to be read once: a decimal number alone in brackets would be taken for a lesson. Then
`python .ci/pages.py` writes the maps anew.
"""

import sys
from pathlib import Path

from course import COURSE, lessons, reference_places, title


def renumbered(text: str, new: dict[str, str]) -> str:
    """`text` with every reference to a lesson in `new` mended."""
    for start, end in reversed(reference_places(text)):
        text = text[:start] + new.get(text[start:end], text[start:end]) + text[end:]
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


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(__doc__)
    inserted = Path(sys.argv[1]).resolve()
    own = title(inserted)
    others = [title(path) for path in lessons(inserted.parent) if path != inserted]
    if own[:2] not in [other[:2] for other in others]:
        sys.exit(f"no other lesson has the number {own}: nothing has to move")
    moved = [number for _, number, _ in others if number >= own.number]
    mend({f"{own.chapter}.{n}": f"{own.chapter}.{n + 1}" for n in moved}, leave=[inserted])
