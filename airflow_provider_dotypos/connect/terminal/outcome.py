"""How a run of the command ended, for the terminal and for the browser."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How connecting ended.

    :param code: the command's exit code.
    :param title: the verdict in a few words.
    :param message: for the person; holds no secret.
    """

    code: int
    title: str
    message: str

    @property
    def kind(self) -> str:
        """The verdict's look on a page."""
        return "bad" if self.code else "good"
