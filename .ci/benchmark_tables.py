"""Write the benchmark tables at the README's end from the files of `pytest --benchmark-json`.

python .ci/benchmark_tables.py rates.json [more_chapters_or_another_machine.json ...]
"""

import itertools
import json
import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- benchmark tables: start -->\n", "<!-- benchmark tables: end -->\n"
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def machine(info: dict) -> str:
    """What a table was measured on, in a line."""
    parts = [f"{info['cpu'].get('brand_raw', info['machine'])}, one thread"]
    parts += [info["gpu"]] * bool(info["gpu"])
    parts += [
        f"{info['system']}, Python {info['python_version']}, NumPy {info['numpy']}, PyTorch {info['torch']}"
    ]
    return "; ".join(parts)


def duration(seconds: float) -> str:
    size, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def table(rows: list[dict]) -> list[str]:
    """One chapter's rows: a kernel's own line, then its implementations, compared with the library's."""
    lines = [
        "| | median | against the library | rate | share of peak |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for group, members in itertools.groupby(rows, key=lambda row: row["group"]):
        members = list(members)
        lines.append(f"| **{group}** | | | | |")
        medians = {row["row"]: row["stats"]["median"] for row in members}
        for row in members:
            device = "cuda" if row["row"].startswith("cuda") else "cpu"
            library = medians.get(f"{device}  torch, library")
            ratio = f"{medians[row['row']] / library:,.3g}×" if library else ""
            info = row["extra_info"]
            unit = next((unit for unit in ("GFLOP/s", "GB/s") if unit in info), None)
            rate = f"{info[unit]:.3g} {unit} | {info['share of peak']:.0%}" if unit else "|"
            peak = f", peak {info['peak MB']:.3g} MB" if "peak MB" in info else ""
            lines.append(f"| {row['row']}{peak} | {duration(medians[row['row']])} | {ratio} | {rate} |")
    return lines


def tables(reports: list[dict]) -> list[str]:
    """All tables: a part a machine, in it a folded part a chapter."""
    machines = {}
    for report in reports:
        rows = machines.setdefault(machine(report["machine_info"]), {})
        rows.update({row["fullname"]: row for row in report["benchmarks"]})  # a later file replaces
    lines = []
    for name, rows in machines.items():
        lines += [f"**{name}**", ""]
        rows = sorted(rows.values(), key=lambda row: (row["fullname"].split("/")[0], row["group"]))
        for chapter, members in itertools.groupby(rows, key=lambda row: row["fullname"].split("/")[0]):
            lines += [
                f"<details><summary>{chapter}</summary>",
                "",
                *table(list(members)),
                "",
                "</details>",
                "",
            ]
    return lines


text = README.read_text(encoding="utf-8")
made = "\n".join(tables([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]))
if not made or START not in text:
    sys.exit(
        f"usage: python {sys.argv[0]} rates.json ...   ({README.name} marks the place by {START.strip()})"
    )
README.write_text(re.sub(f"(?s)(?<={START}).*(?={END})", lambda _: f"\n{made}\n", text), encoding="utf-8")
