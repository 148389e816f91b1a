"""Write the generated parts of the pages: the front page's map and the chapters' tables.

python .ci/pages.py                      write what the lessons' titles, needs and exercises say now
python .ci/pages.py rates.json [...]     first take in the files of `pytest --benchmark-json`

A page marks a generated part by `<!-- lessons -->` and `<!-- end -->`; everything else in it is written by
hand. Seconds come from `.ci/measured.json` (`python -m pytest --measured` notes them), benchmark tables from
`.ci/rates/chNN_topic.json`, one file per chapter: taking in one chapter's rates leaves the others alone.
"""

import itertools
import json
import re
import sys
from pathlib import Path

from course import APART, COURSE, cells, chapters, lessons, needs, replace_part, title

RATES = COURSE / ".ci" / "rates"
MEASURED = COURSE / ".ci" / "measured.json"
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
SUMMARY = COURSE / ".ci" / "summary.json"  # the front page's ten rows: chapter, group, row, what it tells


# ---- seconds and rates ----------------------------------------------------------------------------------


def note_seconds(seconds: dict[str, float]):
    """Keep what lessons took, by name "ch06_backprop.micrograd"; others stay as they are."""
    known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    known |= {name: round(value, 1) for name, value in seconds.items()}
    there = {f"{path.parent.name}.{path.stem}" for path in lessons()}
    kept = {name: known[name] for name in sorted(known.keys() & there)}
    MEASURED.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def machine(info: dict) -> str:
    """What a table was measured on, in a line."""
    parts = [f"{info['cpu'].get('brand_raw', info['machine'])}, one thread"]
    parts += [info["gpu"]] * bool(info["gpu"])
    versions = f"Python {info['python_version']}, NumPy {info['numpy']}, PyTorch {info['torch']}"
    return "; ".join([*parts, f"{info['system']}, {versions}"])


def take_in(report: dict):
    """Keep the rows of one benchmark report, chapter by chapter; a row measured before is replaced."""
    name = machine(report["machine_info"])
    rows = sorted(report["benchmarks"], key=lambda row: row["fullname"].split("/")[0])
    for chapter, members in itertools.groupby(rows, key=lambda row: row["fullname"].split("/")[0]):
        path = RATES / f"{chapter}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        table = kept.setdefault(name, {})
        for row in members:
            info = row["extra_info"]
            unit = next((unit for unit in ("GFLOP/s", "GB/s") if unit in info), None)
            known = {"median": row["stats"]["median"]}
            if unit:
                known |= {"rate": f"{info[unit]:.3g} {unit}", "share": f"{info['share of peak']:.0%}"}
            if "peak MB" in info:
                known["peak MB"] = info["peak MB"]
            table.setdefault(row["group"], {})[row["row"]] = known
        RATES.mkdir(exist_ok=True)
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# ---- parts ----------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    size, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def ratio(row: str, rows: dict) -> str:
    """A row's time divided by the library's on the same device."""
    device = "cuda" if row.startswith("cuda") else "cpu"
    tail = re.sub(r"^(cpu|cuda)  ", "", row).partition("  ")[2]  # of rows that differ in a parameter
    for library in (f"{device}  torch, library  {tail}", f"{device}  torch, library", "torch, library"):
        if library in rows:
            times = rows[row]["median"] / rows[library]["median"]
            return f"{times:,.0f}×" if times >= 100 else f"{times:.3g}×"
    return ""


def benchmark_part(folder: Path) -> str:
    """A table for each machine on which the chapter was measured."""
    path = RATES / f"{folder.name}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    lines = []
    for name, groups in kept.items():
        lines += [f"**{name}**", ""]
        lines += [
            "| | median | against the library | rate | share of peak |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for group, rows in sorted(groups.items()):
            lines.append(f"| **{group}** | | | | |")
            for row, known in rows.items():
                peak = f", peak {known['peak MB']:.3g} MB" if "peak MB" in known else ""
                times = f"{duration(known['median'])} | {ratio(row, rows)}"
                lines.append(
                    f"| {row}{peak} | {times} | {known.get('rate', '')} | {known.get('share', '')} |"
                )
        lines.append("")
    return "\n".join(["", *lines]) if lines else "\nNot measured yet.\n\n"


def minutes_to_read(path: Path) -> int:
    """At 180 words of prose and 25 lines of code per minute, in steps of five from ten on."""
    words = sum(len(cell.text.split()) for cell in cells(path) if cell.kind == "markdown")
    lines = sum(cell.text.count("\n") + 1 for cell in cells(path) if cell.kind == "code")
    minutes = words / 180 + lines / 25
    return max(5, 5 * round(minutes / 5))


def seconds_to_run(path: Path, measured: dict[str, float]) -> str:
    seconds = measured.get(f"{path.parent.name}.{path.stem}")
    if seconds is None:
        return ""
    return "under 5 s" if seconds < 5 else f"{5 * round(seconds / 5)} s"


def lessons_part(folder: Path) -> str:
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    lines = ["", "| | lesson | the point | read | run | needs |", "| --- | --- | --- | ---: | ---: | --- |"]
    for path in lessons(folder):
        number = title(path)
        run = seconds_to_run(path, measured)
        row = f"| {number} | [{path.stem}]({path.name}) | {number.words} | {minutes_to_read(path)} min"
        lines.append(f"{row} | {run} | {', '.join(needs(path))} |")
    return "\n".join([*lines, "", ""])


def exercises_part(folder: Path) -> str:
    """The headings of the exercises, with the names of the functions to fill in."""
    path = folder / "exercises.py"
    if not path.exists():
        return "\nNone yet.\n\n"
    lines = ["", "| | exercise | to fill in |", "| --- | --- | --- |"]
    heading = None
    for cell in cells(path):
        if found := re.match(r"## (\d+) (.+)", cell.text):
            heading = found.groups()
        elif heading and (names := re.findall(r"^def check_(\w+)\(", cell.text, flags=re.MULTILINE)):
            lines.append(f"| {heading[0]} | {heading[1]} | {' and '.join(f'`{name}`' for name in names)} |")
    return "\n".join([*lines, "", ""])


def chapter_words(folder: Path) -> tuple[str, str]:
    """A chapter's title and the first sentence of its page."""
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    heading = re.search(r"^# \d+ (.+)$", text, flags=re.MULTILINE)
    rest = text[heading.end() :].strip() if heading else ""
    sentence = re.match(r"(.+?\.)(?=\s|\Z)", re.sub(r"\s+", " ", rest))
    name = heading[1] if heading else folder.name.partition("_")[2].replace("_", " ").capitalize()
    return name, sentence[1] if sentence else ""


def map_part() -> str:
    """A row for each chapter, with a link to each of its lessons."""
    lines = ["", "| | chapter | its lessons |", "| ---: | --- | --- |"]
    for folder in chapters():
        name, words = chapter_words(folder)
        link = f"[{name}]({folder.name}/README.md)" if (folder / "README.md").exists() else name
        paths = [(str(title(path)), path) for path in lessons(folder)]
        paths += [
            ("", folder / name) for name in APART if name != "solutions.py" and (folder / name).exists()
        ]
        links = [f"{number} [{path.stem}]({folder.name}/{path.name})".strip() for number, path in paths]
        lines.append(f"| {int(folder.name[2:4])} | **{link}**. {words} | {' · '.join(links)} |")
    return "\n".join([*lines, "", ""])


def summary_part() -> str:
    """Rows that tell something, chosen by hand in `.ci/summary.json`, with what was measured."""
    chosen = json.loads(SUMMARY.read_text(encoding="utf-8"))
    lines = ["", "| | median | against the library | |", "| --- | ---: | ---: | --- |"]
    names = []
    for pick in chosen:
        path = RATES / f"{pick['chapter']}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for name, groups in kept.items():
            rows = groups.get(pick["group"], {})
            if pick["row"] in rows:
                names += [name] * (name not in names)
                times = f"{duration(rows[pick['row']]['median'])} | {ratio(pick['row'], rows)}"
                lines.append(f"| {pick['group']}: {pick['row']} | {times} | {pick['tells']} |")
                break
    return "\n".join([*lines, "", "Measured on: " + "; and ".join(names) + ".", "", ""])


def current(page: Path) -> str:
    """The page's text with all its generated parts as they should be now."""
    text = page.read_text(encoding="utf-8")
    folder = page.parent
    if folder == COURSE:
        made = {"map": map_part, "rates": summary_part}
    else:
        made = {
            "lessons": lambda: lessons_part(folder),
            "exercises": lambda: exercises_part(folder),
            "benchmarks": lambda: benchmark_part(folder),
        }
    for name, make in made.items():
        if f"<!-- {name} -->\n" in text:
            text = replace_part(text, name, make())
    return text


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if not Path(name).is_file():
            sys.exit(__doc__)
        take_in(json.loads(Path(name).read_text(encoding="utf-8")))
    for page in [COURSE / "README.md", *(folder / "README.md" for folder in chapters())]:
        if page.exists():
            page.write_text(current(page), encoding="utf-8", newline="\n")
            print(f"{page.relative_to(COURSE)} is written")
