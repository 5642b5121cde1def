"""What a process spends of a request budget: nothing is sent that would exceed it.

**What counts.** The server counts a request at some moment between its leaving and its answer. So a request counts here
from before it leaves until a whole window after its answer. Without an answer it counts until a whole window after the
last moment at which one could have come. At no time does more than the budget count. So the server can't count more in
any window, be it fixed or sliding.

**Blocks.** A process among others claims requests in blocks, for a short time. A block counts whole until that time is
over, and a window longer. When its owner writes again, only what was sent of it counts. A process that was killed
doesn't write again, so its block counts whole to the end.

**Claims without compare-and-set.** A process writes its claim, waits, reads again, and uses the claim only if it is
still in the ledger. A process that could overwrite it has read before it was written. If no read and write takes longer
than the wait, that process has overwritten it by then or never will. So a claim in use stays in the ledger, and whoever
claims later sees it. Besides that, only the clocks of the machines must agree within the margin.
"""

from __future__ import annotations

import functools
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import NamedTuple, TypeVar

from airflow_provider_dotypos.api.budget import Budget, DotyposBudgetError
from airflow_provider_dotypos.api.ledger import (
    Entries,
    Entry,
    Register,
    decode_entries,
    encode_entries,
    free_requests,
    seconds_until_free,
)
from airflow_provider_dotypos.api.steps import Alone, Flow, Perform, Sleep

log = logging.getLogger(__name__)

T = TypeVar("T")

#: For how long the requests of a block may leave, in seconds.
_USE = 120.0

#: The longest that a request may take, in seconds, whatever a connection's Timeout says.
_LONGEST_REQUEST = 3600.0

#: The first block is this part of the budget. Each one is twice the one before, up to the largest part.
_FIRST_PART, _LARGEST_PART = 10, 5

#: Seconds after which a claim that is still in the ledger stays there: no read and write together takes longer. A
#: process that has taken half of that to read, because it is slow or was suspended, reads again, so many times.
_SETTLE, _READ_AGAIN = 2.0, 5

#: Seconds after which a ledger that couldn't be reached is tried again, and the part of the budget used until then.
_UNREACHABLE_FOR, _UNREACHABLE_PART = 60.0, 4


class Block:
    """Requests that a process has claimed.

    :param window: how long a request counts after its end, in seconds.
    :param timeout: the longest that each may take, in seconds.
    :ivar settled: whether its claim stays in the ledger.
    """

    def __init__(self, size: int, window: float, timeout: float) -> None:
        self.size = size
        self.settled = False
        self._taken = self._sent = self._under_way = 0
        self._usable_until = time.monotonic() + _USE
        self._timeout = timeout
        self._window = window
        self._left_at = self._ended_at = 0.0

    @property
    def available(self) -> bool:
        """Whether a further request may be taken."""
        return self.settled and self._taken < self.size and self._usable

    @property
    def done(self) -> bool:
        """Whether nothing of it can change any more."""
        return self.settled and not self._usable and not self._under_way

    @property
    def entry(self) -> Entry:
        """What counts of it."""
        if self._usable:
            return Entry(self.size, self._usable_until + self._timeout + self._window)
        last = self._left_at + self._timeout if self._under_way else self._ended_at
        return Entry(self._sent, last + self._window)

    @property
    def _usable(self) -> bool:
        return self._sent < self.size and time.monotonic() < self._usable_until

    def take(self) -> None:
        """Set a request apart."""
        self._taken += 1

    def give_back(self) -> None:
        """Give a request back that won't leave."""
        self._taken -= 1

    def leave(self) -> bool:
        """Note that a request leaves now; return whether it still may."""
        if not self._usable:
            return False
        self._sent += 1
        self._under_way += 1
        self._left_at = time.monotonic()
        return True

    def end(self, *, sent: bool) -> None:
        """Note that a request has ended.

        :param sent: whether the server may have it. If not, another one may leave in its place.
        """
        self._under_way -= 1
        self._ended_at = time.monotonic()
        if not sent:
            self._sent -= 1
            self._taken -= 1

    def close(self) -> None:
        """Give back what hasn't left."""
        self._usable_until = float("-inf")


class Permit:
    """Permission for one request of a block."""

    def __init__(self, block: Block, guard: threading.Lock) -> None:
        self._block = block
        self._guard = guard

    def leave(self) -> bool:
        """Note that the request leaves now; return whether it still may."""
        with self._guard:
            return self._block.leave()

    def end(self, *, sent: bool) -> None:
        """Note that the request has ended (see ``Block.end``)."""
        with self._guard:
            self._block.end(sent=sent)

    def give_back(self) -> None:
        """Note that the request won't leave."""
        with self._guard:
            self._block.give_back()


class _Terms(NamedTuple):
    """On which terms a request is asked for: see ``Spending.permit``."""

    budget: Budget
    timeout: float
    longest_wait: float

    @property
    def window(self) -> float:
        """How long a request counts after its end: a little longer than a window, as clocks differ."""
        return self.budget.seconds + min(5.0, self.budget.seconds / 100)


class _Past(NamedTuple):
    """What counts of blocks that are done.

    :param first_until: until when the first of them counts.
    """

    name: str
    entry: Entry
    first_until: float


class Spending:
    """What a process spends of a budget, for all its calls to one cloud; safe to share between threads and loops.

    :param register: where the ledger is kept; ``None`` if the process counts for itself.
    :ivar lock: held by the thread that claims requests.
    """

    def __init__(self, register: Register | None = None) -> None:
        self._register = register
        self.forget()

    def forget(self) -> None:
        """Begin anew as another process, in a forked child. What the parent has claimed remains the parent's."""
        self.lock = threading.Lock()
        self._guard = threading.Lock()
        self._name = secrets.token_hex(4)
        self._blocks: dict[str, Block] = {}
        self._past: list[_Past] = []
        self._claims = 0
        self._terms: _Terms | None = None
        self._unreachable_until = self._announced_until = float("-inf")

    def permit(self, budget: Budget, timeout: float, longest_wait: float) -> Flow[Permit]:
        """Return permission for one request, as soon as the budget allows it.

        :param timeout: the longest that the request may take, in seconds.
        :param longest_wait: the longest that is waited for it, in seconds.
        :raises DotyposBudgetError: if that isn't enough.
        """
        terms = _Terms(budget, timeout, longest_wait)
        while (permit := self._take()) is None:
            wait: float = yield Alone(self, self._claim(terms))
            if wait:
                yield Sleep(wait)
        return permit

    def give_back(self) -> Flow[None]:
        """Note in the ledger what was sent of what was claimed, and say in the log how much is left."""
        if self._terms is not None:
            with self._guard:
                for block in self._blocks.values():
                    block.close()
            yield Alone(self, self._settle_up(self._terms))

    def _take(self) -> Permit | None:
        with self._guard:
            for block in self._blocks.values():
                if block.available:
                    block.take()
                    return Permit(block, self._guard)
        return None

    def _claim(self, terms: _Terms) -> Flow[float]:
        """Claim requests; return 0, or the seconds after which to try again."""
        with self._guard:
            if any(block.available for block in self._blocks.values()):
                return 0.0  # another thread has claimed some meanwhile
        if self._register is None:
            return self._claim_alone(terms, terms.budget.requests)
        if time.monotonic() < self._unreachable_until:
            return self._claim_alone(terms, terms.budget.requests // _UNREACHABLE_PART)
        try:
            return (yield from self._claim_among_others(self._register, terms))
        except _UnreachableError as error:
            self._unreachable_until = time.monotonic() + _UNREACHABLE_FOR
            log.warning(
                "The ledger of the request budget (%s) can't be reached: %s. For the next minute this task counts for "
                "itself, and uses a quarter of the budget at most. If the server refuses requests, that is obeyed.",
                self._register.name,
                error,
            )
            return 0.0

    def _claim_alone(self, terms: _Terms, most: int) -> float:
        with self._guard:
            counting = list(self._own().values())
            if free_requests(most, counting) < 1:
                return self._wait_for(1, most, counting, terms)
            _, block = self._add_block(1, terms)
            block.settled = True
        self._announce(counting, terms, "by this process alone")
        return 0.0

    def _claim_among_others(self, register: Register, terms: _Terms) -> Flow[float]:
        others, began = yield from self._others(register, terms)
        with self._guard:
            counting = [*others.values(), *self._own().values()]
            size = self._next_size(terms.budget)
            if (free := free_requests(terms.budget.requests, counting)) < 1:
                if any(entry.until > time.monotonic() + terms.timeout + terms.window for entry in others.values()):
                    return random.uniform(1, 2) * _SETTLE  # blocks in use: their owners may give much of them back
                return self._wait_for(size, terms.budget.requests, counting, terms)
            name, block = self._add_block(min(size, free), terms)
        try:
            yield from self._write(register, others)
            settle = max(_SETTLE, 3 * (time.monotonic() - began))  # if it is slow here, it is slow for others, too
            yield Sleep(settle)
            block.settled = name in (yield from self._read(register, terms))
        finally:
            if not block.settled:
                with self._guard:
                    del self._blocks[name]
        if block.settled:
            self._announce(counting, terms, f"by all tasks ({register.name})")
            return 0.0
        return random.uniform(0.1, 1) * settle  # else those that overwrite each other would do so again

    def _settle_up(self, terms: _Terms) -> Flow[None]:
        others: Entries = {}
        counted = "by this process alone"
        if self._register is not None:
            try:
                others, _ = yield from self._others(self._register, terms)
                yield from self._write(self._register, others)
                counted = f"by all tasks ({self._register.name})"
            except _UnreachableError as error:
                log.warning("What was claimed of the request budget and not used can't be given back: %s.", error)
        with self._guard:
            counting = [*others.values(), *self._own().values()]
        _log_used(terms.budget, counting, counted, "at the end")

    def _others(self, register: Register, terms: _Terms) -> Flow[tuple[dict[str, Entry], float]]:
        """Return what other processes have claimed, and since when that may be out of date."""
        for _ in range(_READ_AGAIN):
            began = time.monotonic()
            entries = yield from self._read(register, terms)
            if time.monotonic() - began < _SETTLE / 2:
                return {name: entry for name, entry in entries.items() if not name.startswith(self._name)}, began
        raise _UnreachableError("it takes too long to read")

    def _read(self, register: Register, terms: _Terms) -> Flow[dict[str, Entry]]:
        text: str | None = yield from _tried(register.read)
        return decode_entries(text, _USE + _LONGEST_REQUEST + terms.window)

    def _write(self, register: Register, others: Entries) -> Flow[None]:
        with self._guard:
            text = encode_entries({**others, **self._own()})
        yield from _tried(functools.partial(register.write, text))

    def _own(self) -> dict[str, Entry]:
        """Return what counts of this process's requests."""
        for name in [name for name, block in self._blocks.items() if block.done]:
            self._remember(name, self._blocks.pop(name).entry)
        now = time.monotonic()
        self._past = [past for past in self._past if past.entry.until > now]
        past = {past.name: past.entry for past in self._past}
        return past | {name: block.entry for name, block in self._blocks.items()}

    def _remember(self, name: str, entry: Entry) -> None:
        """Keep what counts of a block that is done. Blocks that ended nearly together are kept as one."""
        if self._past and self._terms and entry.until - self._past[-1].first_until < self._terms.window / 100:
            last = self._past.pop()
            until = max(last.entry.until, entry.until)
            self._past.append(last._replace(entry=Entry(last.entry.requests + entry.requests, until)))
        elif entry.requests:
            self._past.append(_Past(name, entry, entry.until))

    def _add_block(self, size: int, terms: _Terms) -> tuple[str, Block]:
        name, block = f"{self._name}-{self._claims}", Block(size, terms.window, terms.timeout)
        self._blocks[name] = block
        self._claims += 1
        self._terms = terms
        return name, block

    def _next_size(self, budget: Budget) -> int:
        first, largest = (max(1, budget.requests // part) for part in (_FIRST_PART, _LARGEST_PART))
        return min(first << min(self._claims, 10), largest)

    def _wait_for(self, wanted: int, most: int, counting: Iterable[Entry], terms: _Terms) -> float:
        """Return the seconds until requests are free again.

        :raises DotyposBudgetError: if that is longer than is waited for.
        """
        wait = seconds_until_free(wanted, most, counting)
        if wait > terms.longest_wait:
            enough = min(terms.budget.enough, most)
            at = datetime.fromtimestamp(time.time() + seconds_until_free(enough, most, counting), timezone.utc)
            raise DotyposBudgetError(
                f"The request budget, {terms.budget}, is used up. {enough} requests are free again at {at:%F %T %Z}. "
                "A transfer keeps what it has read, and goes on when it runs again then.",
                budget=terms.budget,
                retry_at=at,
            )
        if wait > 1 and time.monotonic() > self._announced_until:
            self._announced_until = time.monotonic() + wait
            log.info("The request budget, %s, is used up. Waiting %.0f s until requests are free.", terms.budget, wait)
        return wait

    def _announce(self, counting: Iterable[Entry], terms: _Terms, counted: str) -> None:
        """Say in the log how much is used, at the process's first claim."""
        if self._claims == 1:
            _log_used(terms.budget, counting, counted, "by now")


def _log_used(budget: Budget, counting: Iterable[Entry], counted: str, when: str) -> None:
    left = max(0, free_requests(budget.requests, counting))
    log.info("Request budget %s, counted %s: %d used %s, %d left.", budget, counted, budget.requests - left, when, left)


class _UnreachableError(Exception):
    """The ledger can't be read or written."""


def _tried(function: Callable[[], T]) -> Flow[T]:
    """Call a register's function.

    :raises _UnreachableError: if it fails.
    """

    def call() -> T | _UnreachableError:
        try:
            return function()
        except Exception as error:  # whatever a store may raise; its text may hold what no log should
            return _UnreachableError(type(error).__name__)

    result: T | _UnreachableError = yield Perform(call)
    if isinstance(result, _UnreachableError):
        raise result
    return result
