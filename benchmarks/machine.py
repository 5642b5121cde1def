"""The first line of every result: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

PACKAGES = ("apache-airflow", "apache-airflow-providers-http", "msgspec", "requests", "urllib3", "httpx", "pyarrow")


def machine() -> str:
    """Return the machine, and the versions of the packages that matter."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores of {model}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the median and, in brackets, the lowest and the highest value."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
