"""Run a lesson and print what helps others to help: versions, platform, threads, and its last lines.

python .ci/report.py ch06_backprop/micrograd.py
"""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "torch", "torchvision", "matplotlib", "jupytext", "pytest")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")
N_LINES = 30


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def report(lesson: Path) -> str:
    """The text to paste: nothing in it names the user or a folder above the course."""
    lines = [f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} processors"]
    lines += [f"{package} {installed(package)}" for package in PACKAGES]
    lines += [f"{name}={os.environ.get(name, '(not set)')}" for name in THREADS]
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(lesson)]
    ran = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    lines.append(f"{lesson.parent.name}/{lesson.name} ended with exit code {ran.returncode}; its last lines:")
    last = (ran.stdout + ran.stderr).rstrip().split("\n")[-N_LINES:]
    course = str(Path(__file__).resolve().parents[1])
    return "\n".join([*lines, *(line.replace(course, "…") for line in last)])


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(__doc__)
    print(report(Path(sys.argv[1]).resolve()))
