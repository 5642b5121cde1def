"""What a fleet's run came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fleet.comparison import Figures


@dataclass
class Report:
    """What is to be said in the end.

    :param figures: of the comparisons, by what was compared.
    :param notes: what else was counted, in sentences.
    :param problems: what is wrong besides the figures, in sentences.
    """

    figures: dict[str, Figures] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, what: str, figures: Figures) -> None:
        """Add a comparison to those of the same."""
        total = self.figures.setdefault(what, Figures())
        total += figures

    @property
    def right(self) -> bool:
        """Whether nothing was lost, doubled or refused, and something was compared."""
        compared = bool(self.figures) and all(figures.right and figures.rows for figures in self.figures.values())
        return compared and not self.problems

    def __str__(self) -> str:
        lines = ["", "| compared with the shop | sets | rows | lost | doubled | unknown |", "|---|---|---|---|---|---|"]
        for what, figures in self.figures.items():
            cells = (figures.sets, figures.rows, figures.lost, figures.doubled, figures.unknown)
            lines.append(f"| {what} | {' | '.join(f'{cell:,}' for cell in cells)} |")
        lines += ["", *self.notes, *(f"WRONG: {problem}." for problem in self.problems)]
        return "\n".join([*lines, "All is right." if self.right else "Something is wrong."])
