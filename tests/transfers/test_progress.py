"""What the log says of an extraction's progress while it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.transfers import progress


def test_progress_is_told_at_a_human_pace(
    extract: Callable[..., dict[str, Any]],
    orders: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(0, 100_000, 3))  # each look at the clock is three seconds after the last
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    caplog.set_level("INFO", logger=progress.__name__)
    extract()
    lines = [record.getMessage() for record in caplog.records if "rows/s" in record.getMessage()]
    assert 1 <= len(lines) <= 4
    assert re.match(
        r"\d+%, about \d+ requests? and \d+ seconds left: [\d,]+ orders so far "
        r"\(\d+ pages in \d+ seconds, \d+ rows/s\)",
        lines[0],
    )


class TestWhatIsLeft:
    """How many rows are still to come, judged by those that came."""

    def piece(self, name: str, cursor: str | None, lo: int | None = 0) -> Piece:
        return Piece(Stream(name, (), cursor), lo, 1_000_000)

    def walk(self, pieces: Pieces, piece: Piece, end: int | None, rows: int) -> None:
        piece.claim(end)
        piece.rows += rows

    def test_is_unknown_before_anything_came(self) -> None:
        assert Pieces([self.piece("live", "versionDate")]).rows_left is None

    def test_is_as_thick_as_what_came(self) -> None:
        pieces = Pieces([self.piece("live", "versionDate")])
        live = pieces.next()
        assert live is not None
        self.walk(pieces, live, 100_000, 50)
        assert pieces.rows_left == 450
        half = live.split()
        assert half is not None
        assert pieces.rows_left == pytest.approx((live.hi - 100_000) * 50 / 100_000)  # the half is nobody's yet

    def test_does_not_count_streams_with_few_rows_for_a_whole_window(self) -> None:
        names = ("live", "versionDate"), ("live-null", None), ("deleted", "versionDate"), ("deleted-null", None)
        pieces = Pieces([self.piece(*name) for name in names])
        live, unordered, deleted = (pieces.next() for _ in range(3))
        assert live is not None
        assert unordered is not None
        assert deleted is not None
        self.walk(pieces, live, 100_000, 1000)
        for ended in (unordered, deleted):
            self.walk(pieces, ended, None, 1)
            pieces.done(ended)
        assert pieces.rows_left == 9000

    def test_from_the_beginning_waits_for_a_first_page(self) -> None:
        pieces = Pieces([self.piece("live", "versionDate", None), self.piece("deleted", "versionDate", None)])
        live = pieces.next()
        assert live is not None
        self.walk(pieces, live, 200_000, 100)
        assert pieces.rows_left is None
        self.walk(pieces, live, 600_000, 400)
        assert pieces.rows_left == pytest.approx(500)

    def test_of_a_resumed_extraction_is_told_with_what_was_there(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([0.0, 10.0])
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        caplog.set_level("INFO", logger=progress.__name__)
        pieces = Pieces([self.piece("live", "versionDate")])
        live = pieces.next()
        assert live is not None
        self.walk(pieces, live, 500_000, 100)
        progress.Progress("orders", kept=800).report(100, 2, pieces)
        assert caplog.messages == [
            "90%, about 1 request and 10 seconds left: 900 orders so far (2 pages in 10 seconds, 10 rows/s)."
        ]

    def test_in_requests_is_one_for_each_piece_until_its_first_page_shows_how_dense_it_is(self) -> None:
        pieces = Pieces([self.piece("live", "versionDate"), self.piece("deleted", "versionDate")])
        assert pieces.requests_left == 2
        live = pieces.next()
        assert live is not None
        live.rate = 0.001
        assert pieces.requests_left == 10 + 1
