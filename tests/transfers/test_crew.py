"""Threads that share lists: who walks what, and what an error or a kill ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.transfers.crew import Crew
from tests.patience import PATIENCE

STREAM = Stream("rows", (), "versionDate")
DAY = 86_400_000


class BrokenError(Exception):
    """What ends a list."""


class Lists:
    """Lists of one piece each, and which threads have walked them."""

    def __init__(self, threads: int) -> None:
        self.crew = Crew(threads)
        self.cancelled: list[str] = []

    def run(self, **lists: Callable[[Piece], None]) -> dict[str, Future[str]]:
        def job(name: str, walk: Callable[[Piece], None]) -> Callable[[], str]:
            return lambda: self.extract(name, walk)

        jobs = {name: job(name, walk) for name, walk in lists.items()}
        return dict(self.crew.run(jobs, lambda: self.cancelled.append("all")))

    def extract(self, name: str, walk: Callable[[Piece], None]) -> str:
        pieces = Pieces([Piece(STREAM, 0, DAY, rate=1e-3)])

        def walk_one(piece: Piece) -> None:
            self.crew.moved(pieces, piece)
            walk(piece)
            piece.claim()

        self.crew.walk(pieces, walk_one, lambda: self.cancelled.append(name))
        return name


def quiet(piece: Piece) -> None:
    """Walk a piece at once."""


def broken(piece: Piece) -> None:
    raise BrokenError


class Together:
    """A walk whose pieces wait until so many threads walk one."""

    def __init__(self, threads: int) -> None:
        self.threads: set[str] = set()
        self._enough = threads
        self._all_here = threading.Event()

    def __call__(self, piece: Piece) -> None:
        self.threads.add(threading.current_thread().name)
        if len(self.threads) >= self._enough:
            self._all_here.set()
        assert self._all_here.wait(PATIENCE)


@pytest.mark.parametrize("threads", [1, 3])
def test_each_list_has_an_outcome_of_its_own(threads: int) -> None:
    lists = Lists(threads)
    outcomes = lists.run(one=quiet, other=broken, last=quiet)
    assert outcomes["one"].result() == "one"
    assert outcomes["last"].result() == "last"
    with pytest.raises(BrokenError):
        outcomes["other"].result()
    assert {*lists.cancelled} == {"other"}  # more than once if an idle thread has taken a part of its piece


def test_lists_are_extracted_side_by_side() -> None:
    walk = Together(3)
    outcomes = Lists(3).run(one=walk, two=walk, three=walk)
    assert all(outcome.result() == name for name, outcome in outcomes.items())


def test_threads_that_have_no_list_help_with_the_one_that_is_large() -> None:
    large = Together(4)
    outcomes = Lists(4).run(large=large, one=quiet, two=quiet, three=quiet)
    assert all(outcome.result() == name for name, outcome in outcomes.items())
    assert len(large.threads) == 4


def test_pieces_that_may_not_be_split_are_left_to_their_list() -> None:
    crew = Crew(4)
    walked: list[Piece] = []
    pieces = Pieces([Piece(STREAM, 0, DAY, rate=1.0)], may_split=False)

    def walk(piece: Piece) -> None:
        crew.moved(pieces, piece)
        walked.append(piece)

    ((_, outcome),) = crew.run({"list": lambda: crew.walk(pieces, walk, lambda: None)}, lambda: None)
    outcome.result()
    assert [(piece.lo, piece.hi) for piece in walked] == [(0, DAY)]


def test_an_error_of_a_helper_is_its_lists_and_ends_once_all_have_left() -> None:
    lists = Lists(2)
    helped, left = threading.Event(), threading.Event()

    def walk(piece: Piece) -> None:
        if piece.hi == DAY and piece.lo:  # the upper half
            helped.set()
            raise BrokenError
        assert helped.wait(PATIENCE)
        left.set()

    ((_, outcome),) = lists.crew.run({"list": lambda: lists.extract("list", walk)}, lambda: None)
    with pytest.raises(BrokenError):
        outcome.result()
    assert left.is_set()
    assert lists.cancelled == ["list"]


@pytest.mark.parametrize("threads", [1, 2])
def test_lists_that_wait_can_be_left(threads: int) -> None:
    crew = Crew(threads)
    begun = threading.Barrier(threads)

    def last() -> None:
        begun.wait(PATIENCE)
        crew.begin_no_more()
        crew.begin_no_more()

    lists = dict.fromkeys(range(5), last)
    outcomes = dict(crew.run(lists, lambda: None))
    assert {number for number, outcome in outcomes.items() if not outcome.cancelled()} == set(range(threads))


def test_a_caller_who_gives_up_ends_everything() -> None:
    """As a time-out of the task does, which breaks in upon the caller's own thread."""
    crew = Crew(2)
    cancelled = threading.Event()

    def slow() -> None:
        assert cancelled.wait(PATIENCE)

    def outcomes() -> Iterator[object]:
        return crew.run({"quick": lambda: None, **dict.fromkeys(range(5), slow)}, cancelled.set)

    running = outcomes()
    assert next(running)
    with pytest.raises(TimeoutError):
        running.throw(TimeoutError)  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dotypos-walk")]
