"""Make an environment for each of the tools that we compare with: their requirements clash with each other.

``python -m benchmarks.peers.setup`` makes them below ``.work/peers``, or updates them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("dlt", "airbyte", "singer", "plot")

_HERE = Path(__file__).resolve().parent
_ENVIRONMENTS = _HERE.parent.parent / ".work" / "peers"


def python(name: str) -> str:
    """Return the interpreter of an environment.

    :raises SystemExit: if it doesn't exist, or its requirements have changed.
    """
    if not _is_ready(name):
        raise SystemExit("Run python -m benchmarks.peers.setup first.")
    return str(_ENVIRONMENTS / name / "bin" / "python")


def requirements(name: str) -> str:
    return (_HERE / f"{name}.txt").read_text()


def set_up(name: str) -> None:
    """Make an environment and install its requirements."""
    folder = _ENVIRONMENTS / name
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(_HERE / f"{name}.txt")]
    subprocess.run([str(folder / "bin" / "python"), *install], check=True)
    _stamp(name).write_text(requirements(name))


def _is_ready(name: str) -> bool:
    return _stamp(name).exists() and _stamp(name).read_text() == requirements(name)


def _stamp(name: str) -> Path:
    return _ENVIRONMENTS / name / "installed.txt"


def main() -> None:
    for name in NAMES:
        if not _is_ready(name):
            print(f"Installing {', '.join(requirements(name).split())} ...", flush=True)
            set_up(name)


if __name__ == "__main__":
    main()
