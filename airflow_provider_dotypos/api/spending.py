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
than the wait, that process has overwritten it by then or never will. So a claim in use stays in the ledger, and later
claims see it. Besides that, only the clocks of the machines must agree within the margin.
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

from airflow_provider_dotypos.api.blocks import USE, Block, Moment, Permit
from airflow_provider_dotypos.api.budget import FIRST_PART, Budget, DotyposBudgetError
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

#: The longest that a request may take, in seconds, whatever a connection's Timeout says.
_LONGEST_REQUEST = 3600.0

#: Each block is twice the one before, up to this part of the budget.
_LARGEST_PART = 5

#: Seconds after which a claim that is still in the ledger stays there: no read and write together takes longer. A
#: process that has taken half of that to read, because it is slow or was suspended, reads again, so many times.
_SETTLE, _READ_AGAIN = 2.0, 5

#: Seconds after which a ledger that couldn't be reached is tried again, and the part of the budget used until then.
_UNREACHABLE_FOR, _UNREACHABLE_PART = 60.0, 4


#: Receives how many requests of a budget are in use, and how many are free.
Report = Callable[[int, int], None]


class _Terms(NamedTuple):
    """On which terms a request is asked for: see ``Spending.permit``.

    :param asked_at: since when it is waited for (monotonic seconds).
    """

    budget: Budget
    timeout: float
    longest_wait: float
    asked_at: float
    report: Report | None

    @property
    def window(self) -> float:
        """How long a request counts after its end: a little longer than a window, as clocks differ."""
        return self.budget.seconds + min(5.0, self.budget.seconds / 100)

    @property
    def wait_left(self) -> float:
        """For how much longer it is waited."""
        return self.asked_at + self.longest_wait - time.monotonic()


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
        self._claims = self._settled_claims = 0
        self._terms: _Terms | None = None
        self._unreachable_until = self._announced_until = float("-inf")

    def permit(self, budget: Budget, timeout: float, longest_wait: float, report: Report | None = None) -> Flow[Permit]:
        """Return permission for one request, as soon as the budget allows it.

        :param timeout: the longest that the request may take, in seconds.
        :param longest_wait: the longest that is waited for it, in seconds.
        :param report: receives how much of the budget is in use, whenever this process learns it.
        :raises DotyposBudgetError: if that isn't enough.
        """
        terms = _Terms(budget, timeout, longest_wait, time.monotonic(), report)
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
            self._settled_claims += 1
        self._announce(counting, terms, "by this process alone", block.size)
        return 0.0

    def _claim_among_others(self, register: Register, terms: _Terms) -> Flow[float]:
        others, began = yield from self._others(register, terms)
        with self._guard:
            counting = [*others.values(), *self._own().values()]
            size = self._next_size(terms.budget)
            if (free := free_requests(terms.budget.requests, counting)) < 1:
                in_use = time.monotonic() + terms.timeout + terms.window
                if terms.wait_left > 0 and any(entry.until > in_use for entry in others.values()):
                    return random.uniform(1, 2) * _SETTLE  # the owners of such blocks may give much of them back
                # Its next block may be large. Tasks that begin would take what is free before so much is.
                wanted = min(size, self._first_size(terms.budget))
                return self._wait_for(wanted, terms.budget.requests, counting, terms)
            name, block = self._add_block(min(size, free), terms)
        try:
            yield from self._write(register, others)
            settle = max(_SETTLE, 3 * began.ago)  # if it is slow here, it is slow for others, too
            yield Sleep(settle)
            block.settled = name in (yield from self._read(register, terms))
        finally:
            if not block.settled:
                with self._guard:
                    del self._blocks[name]
        if block.settled:
            self._settled_claims += 1
            self._announce(counting, terms, f"by all tasks ({register.name})", block.size)
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
        _report_used(terms, counting)

    def _others(self, register: Register, terms: _Terms) -> Flow[tuple[dict[str, Entry], Moment]]:
        """Return what other processes have claimed, and since when that may be out of date."""
        for _ in range(_READ_AGAIN):
            began = Moment.now()
            entries = yield from self._read(register, terms)
            if began.ago < _SETTLE / 2:
                return {name: entry for name, entry in entries.items() if not name.startswith(self._name)}, began
        raise _UnreachableError("it takes too long to read")

    def _read(self, register: Register, terms: _Terms) -> Flow[dict[str, Entry]]:
        text: str | None = yield from _tried(register.read)
        return decode_entries(text, USE + _LONGEST_REQUEST + terms.window)

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

    def _first_size(self, budget: Budget) -> int:
        return budget.block or budget.requests // FIRST_PART

    def _next_size(self, budget: Budget) -> int:
        if budget.block:
            return budget.block
        return min(self._first_size(budget) << min(self._settled_claims, 10), budget.requests // _LARGEST_PART)

    def _wait_for(self, wanted: int, most: int, counting: Iterable[Entry], terms: _Terms) -> float:
        """Return the seconds until requests are free again.

        :raises DotyposBudgetError: if that is longer than is waited for.
        """
        counting = list(counting)
        _report_used(terms, counting)
        wait = seconds_until_free(wanted, most, counting)
        if wait > max(0.0, terms.wait_left):
            enough = min(terms.budget.enough, most)
            at = datetime.fromtimestamp(time.time() + seconds_until_free(enough, most, counting), timezone.utc)
            raise DotyposBudgetError(
                f"The request budget, {terms.budget}, is used up. {enough} requests are free again at {at:%F %T %Z}. "
                "A transfer keeps what it has read, and continues when it runs again.",
                budget=terms.budget,
                retry_at=at,
            )
        if wait > 1 and time.monotonic() > self._announced_until:
            self._announced_until = time.monotonic() + wait
            log.info("The request budget, %s, is used up. Waiting %.0f s until requests are free.", terms.budget, wait)
        return wait

    def _announce(self, counting: Iterable[Entry], terms: _Terms, counted: str, claimed: int) -> None:
        """Report how much is used, and say it in the log at the process's first claim.

        :param counting: what counted before that claim.
        :param claimed: how many requests it is for.
        """
        _report_used(terms, counting, claimed)
        if self._settled_claims == 1:
            _log_used(terms.budget, counting, counted, "by now")


def _log_used(budget: Budget, counting: Iterable[Entry], counted: str, when: str) -> None:
    left = max(0, free_requests(budget.requests, counting))
    log.info("Request budget %s, counted %s: %d used %s, %d left.", budget, counted, budget.requests - left, when, left)


def _report_used(terms: _Terms, counting: Iterable[Entry], claimed: int = 0) -> None:
    if terms.report is not None:
        left = max(0, free_requests(terms.budget.requests, counting) - claimed)
        terms.report(terms.budget.requests - left, left)


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
