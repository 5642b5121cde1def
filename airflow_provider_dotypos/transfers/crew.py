"""Threads that extract any number of lists together: each begins the next list, and helps others when none is left.

The thread that begins a list *coordinates* it, from its first request to its commit. Threads that are idle walk pieces
of it meanwhile. So one large list has all threads once the small ones are done, and one list alone has them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextvars import copy_context
from threading import Condition
from typing import Any, TypeVar

from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.streams import Piece

KeyT = TypeVar("KeyT")
ResultT = TypeVar("ResultT")


class Crew:
    """Threads, the lists that they extract, and the walks in which they help.

    :param threads: how many. A single one is the caller's own.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._changed = Condition()
        self._idle = 0
        self._lists: list[Future[Any]] = []
        self._lists_left = 0
        self._begins_more = True
        self._walks: list[_SharedWalk] = []

    def run(
        self, lists: Mapping[KeyT, Callable[[], ResultT]], cancel: Callable[[], None]
    ) -> Generator[tuple[KeyT, Future[ResultT]], None, None]:
        """Extract lists, and yield the outcome of each as soon as there is one. A cancelled one wasn't begun.

        An error of one list leaves the others alone. With several threads the caller's own thread only waits, so that
        what breaks in upon it, such as a task's time-out, can't leave a lock locked or a row half written.

        :param lists: extracts each list, and calls `walk`.
        :param cancel: ends whatever the lists wait for. Called if the caller gives up, or closes this.
        """
        if self.threads == 1:
            yield from self._run_alone(lists)
            return
        with ThreadPoolExecutor(self.threads, "dotypos-walk") as pool:
            try:
                outcomes = self._submit(pool, lists)
                for outcome in as_completed(outcomes):
                    yield outcomes[outcome], outcome
            except BaseException:
                self.begin_no_more()
                cancel()
                raise

    def begin_no_more(self) -> None:
        """Leave the lists that wait. Those under way go on."""
        with self._changed:
            self._begins_more = False
            self._lists_left -= sum(not outcome.cancelled() and outcome.cancel() for outcome in self._lists)
            self._changed.notify_all()

    def walk(self, pieces: Pieces, walk: Callable[[Piece], None], cancel: Callable[[], None]) -> None:
        """Walk the pieces of a list to their end, by this thread and by those that are idle.

        An error in one thread ends the walk. The others take the answers that are on their way, keep what they have,
        and ask for no more. All have ended when this returns or raises.

        :param walk: walks one piece.
        :param cancel: ends whatever the list's threads wait for.
        """
        shared = _SharedWalk(pieces, walk, cancel)
        with self._changed:
            self._walks.append(shared)
            self._changed.notify_all()
        try:
            while (piece := self._wait_for(shared.take, lambda: not pieces.are_under_way)) is not None:
                self._walk_piece(shared, piece)
        finally:
            with self._changed:
                self._walks.remove(shared)
        if shared.error is not None:
            raise shared.error

    def help(self, is_over: Callable[[], bool]) -> None:
        """Walk pieces of any list, until something is over that this thread waits for.

        :param is_over: returns whether it is. The code that ends it calls `notify`.
        """
        while (work := self._wait_for(self._work, is_over)) is not None:
            self._walk_piece(*work)

    def notify(self) -> None:
        """Have idle threads look again for what they wait for."""
        with self._changed:
            self._changed.notify_all()

    def moved(self, pieces: Pieces, piece: Piece) -> None:
        """Note that a piece under way has shown another page: it may be worth splitting now."""
        if self._idle and pieces.is_worth_splitting(piece):
            self.notify()

    def _submit(
        self, pool: ThreadPoolExecutor, lists: Mapping[KeyT, Callable[[], ResultT]]
    ) -> dict[Future[ResultT], KeyT]:
        with self._changed:
            self._lists_left = len(lists)
            outcomes = {pool.submit(self._coordinate, extract): key for key, extract in lists.items()}
            self._lists = list(outcomes)
        # Behind the lists in the pool's queue: a thread comes here when no list is left to begin.
        for _ in range(self.threads - 1):
            pool.submit(self.help, lambda: not self._lists_left)
        return outcomes

    def _run_alone(self, lists: Mapping[KeyT, Callable[[], ResultT]]) -> Iterator[tuple[KeyT, Future[ResultT]]]:
        for key, extract in lists.items():
            outcome = Future[ResultT]()
            if not self._begins_more:
                outcome.cancel()
            else:
                try:
                    outcome.set_result(extract())
                except Exception as error:
                    outcome.set_exception(error)
            yield key, outcome

    def _coordinate(self, extract: Callable[[], ResultT]) -> ResultT:
        try:
            return extract()
        finally:
            with self._changed:
                self._lists_left -= 1
                self._changed.notify_all()

    def _work(self) -> tuple[_SharedWalk, Piece] | None:
        """Take a piece of the walk that has most to share; ``None`` if there is nothing to take at the moment."""
        for shared in sorted(self._walks, key=lambda shared: shared.pieces.pages_to_share, reverse=True):
            if (piece := shared.take()) is not None:
                return shared, piece
        return None

    def _wait_for(self, take: Callable[[], ResultT | None], is_over: Callable[[], bool]) -> ResultT | None:
        with self._changed:
            while (taken := take()) is None and not is_over():
                self._idle += 1
                try:
                    self._changed.wait()
                finally:
                    self._idle -= 1
            return taken

    def _walk_piece(self, shared: _SharedWalk, piece: Piece) -> None:
        try:
            shared.walk(piece)
        except BaseException as error:
            shared.fail(error)
        finally:
            with self._changed:
                shared.pieces.done(piece)
                self._changed.notify_all()


class _SharedWalk:
    """A walk that any thread may help with.

    :ivar error: what ended it.
    """

    def __init__(self, pieces: Pieces, walk: Callable[[Piece], None], cancel: Callable[[], None]) -> None:
        self.pieces = pieces
        self._walk = walk
        self._context = copy_context()
        self.take = pieces.next
        self._cancel = cancel
        self.error: BaseException | None = None

    def walk(self, piece: Piece) -> None:
        """Walk one piece, in the context of the list's coordinator."""
        self._context.copy().run(self._walk, piece)

    def fail(self, error: BaseException) -> None:
        """End the walk by an error; later ones follow from it."""
        if self.error is None:
            self.error = error
        self.pieces.stop()
        self._cancel()
