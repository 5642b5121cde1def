"""How many examples the tests of properties draw that take longest."""

from __future__ import annotations

import os


def examples(few: int) -> int:
    """Return how many examples to draw: a few, or ten times as many in ``make properties``."""
    return few * int(os.environ.get("DOTYPOS_EXAMPLES_TIMES", "1"))
