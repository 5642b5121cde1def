"""Sending what the API books each time it arrives, so that it is booked once.

Stock-ups, sales, transfers and stock-takings have no ETag, no key, and can't be read back. What they leave are moved
stock levels. So each part of a document is sent like this:

1. Read the levels.
2. Make an entry in the journal, with these levels. Its name can be taken once.
3. Send it, soon or not at all.
4. Note in the journal what was answered.
5. If no answer came, read the levels again after `settle`. They say whether it was booked (``stock_levels.weigh``).
   If they can't say it, nothing sends it again: a person decides.

**Why a crash books nothing twice.** Before step 2 nothing was sent. After step 2 the entry stands without an outcome,
and the next task doesn't send, but goes on at step 5. There it waits until the dead sender's request is over: it
leaves within `LEAVES_WITHIN` seconds after the entry was made or not at all, and takes no longer than the connection's
timeout. After step 4 the outcome stands. Two who book the same document at once both come to step 2, which one of them
passes.

**What stays open.** A proxy may hold a request back and deliver it later than `settle` after the client gave up. No
waiting makes that impossible. So after a repeat the levels are read once more: if they show it twice, the task fails.
An equal movement by something else, in the minute after a lost answer, passes for the booking, which is missed then.

https://docs.api.dotypos.com/entity/warehouse
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposError
from airflow_provider_dotypos.api.steps import Flow, Perform, Send, Sleep
from airflow_provider_dotypos.writes.errors import DotyposUncertainBookingError
from airflow_provider_dotypos.writes.stock.journal import Entry, Journal, Outcome
from airflow_provider_dotypos.writes.stock.levels import Evidence

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds after its entry was made within which a request leaves, or not at all.
LEAVES_WITHIN = 30.0

#: How often one run sends a part whose answers get lost, although each time the levels say that it wasn't booked.
_MOST_TRIES = 3


class Finding(NamedTuple):
    """What is known of an entry.

    :param facts: for the journal, and for people.
    """

    outcome: Outcome
    facts: Mapping[str, Any]


class Posting(Protocol):
    """One part of a document.

    :ivar part: its number, from 1 on.
    :ivar digest: SHA-256 of what it books, in hex.
    """

    part: int
    digest: str

    def look(self) -> Flow[Evidence]:
        """Return the flow that reads what the stock is before, and works out what will move it."""

    def send(self) -> Flow[Finding]:
        """Return the flow that sends it once."""

    def find_out(self, entry: Entry) -> Flow[Finding]:
        """Return the flow that finds out whether an entry was booked, once that would show."""


class Sender:
    """Sends the parts of a document.

    :param journal: the document's.
    :param settle: seconds until a movement shows in the API.
    :param timeout: longest time that a request may take, in seconds.
    """

    def __init__(self, journal: Journal, settle: float, timeout: float) -> None:
        self._journal = journal
        self._settle = settle
        self._timeout = timeout

    def post(self, posting: Posting, last: Entry | None) -> Flow[Entry]:
        """Return the flow that books a part unless it is booked, and returns its last entry.

        :param last: its last entry so far.
        :raises DotyposUncertainBookingError: if nobody knows whether it is booked.
        :raises DotyposError: if it isn't booked. Sending it again is safe.
        """
        for _ in range(_MOST_TRIES):
            lost_at = None
            if last is None or last.outcome == "not-applied":
                last, lost_at = yield from self._send(posting, last)
            if last.outcome is None:
                last = yield from self.find_out(posting, last, lost_at)
            if last.outcome in ("applied", "accepted"):
                return last
            if last.outcome == "uncertain":
                raise self._uncertain(last)
        raise DotyposError(
            f"Part {posting.part} isn't booked after {_MOST_TRIES} tries: no answer came, or it couldn't leave in "
            "time, and the stock shows that nothing was booked. Run the task again once Dotypos answers; that is safe."
        )

    def _send(self, posting: Posting, last: Entry | None) -> Flow[tuple[Entry, float | None]]:
        """Make an entry and send it. Return it, and when its answer was lost, if it was.

        :param last: the entry before, which wasn't booked.
        """
        evidence = yield from posting.look()
        deadline = time.time() + LEAVES_WITHIN
        entry = Entry(
            part=posting.part,
            number=1 if last is None else last.number + 1,
            digest=posting.digest,
            over_by=deadline + self._timeout,
            evidence=evidence,
            owner=secrets.token_hex(8),
        )
        if not (yield Perform(partial(self._journal.begin, entry))):
            log.info("Another task is booking the same document. It is looked at once that task is done.")
            return (yield from self._reread(entry)), None
        try:
            finding = yield from _leaving_by(posting.send(), deadline)
        except _TooLateError:
            finding = Finding("not-applied", {"why": "it had to wait, and wasn't sent"})
        except DotyposError as error:
            # A gateway in trouble may answer an empty 404, whatever was carried out.
            is_answer = isinstance(error, DotyposApiError) and not (error.status == 404 and error.refusal.empty)
            if error.sent and not is_answer:
                log.warning("%s: no answer to part %d. %s", self._journal.address, posting.part, error)
                return entry, time.time()
            yield self._noting(entry, Finding("not-applied", {"why": str(error)}))
            raise
        if finding.outcome == "applied" and last is not None and "stock" in last.facts:
            # An earlier copy was lost. What goes wrong from here on leaves the entry as broken off.
            finding = yield from self._look_for_copy(posting, entry, finding)
        return (yield self._noting(entry, finding)), None

    def _look_for_copy(self, posting: Posting, entry: Entry, finding: Finding) -> Flow[Finding]:
        """Return what was answered, unless the stock shows that an earlier copy was booked as well."""
        log.info("Whether an earlier copy was booked after all shows in %.0f s.", self._settle)
        yield Sleep(self._settle)
        seen = yield from posting.find_out(entry)
        return seen if seen.facts.get("twice") else finding

    def find_out(self, posting: Posting, entry: Entry, lost_at: float | None = None) -> Flow[Entry]:
        """Return the flow that finds out whether an entry was booked, once that would show, and notes it.

        :param lost_at: when its answer was lost, if this process has sent it (epoch seconds).
        """
        now = time.time()
        over = lost_at or entry.over_by or now + LEAVES_WITHIN + self._timeout
        wait = over + self._settle - now
        if wait > 0:
            log.info("Whether part %d was booked shows in %.0f s.", posting.part, wait)
            yield Sleep(wait)
            entry = yield from self._reread(entry)
        if entry.outcome is None:
            finding = yield from posting.find_out(entry)
            log.info("Part %d: %s, as the stock shows.", posting.part, finding.outcome)
            entry = yield self._noting(entry, finding)
        return entry

    def _reread(self, entry: Entry) -> Flow[Entry]:
        """Return an entry as the journal has it: somebody else may have gone on."""
        entries: Sequence[Entry] = yield Perform(self._journal.read)
        return next((each for each in entries if each.name == entry.name), entry)

    def _noting(self, entry: Entry, finding: Finding) -> Perform:
        return Perform(partial(self._journal.end, entry, *finding))

    def _uncertain(self, entry: Entry) -> DotyposUncertainBookingError:
        applied, not_applied = (self._journal.place(entry, outcome) for outcome in ("applied", "not-applied"))
        seen = self._journal.place(entry, "uncertain")
        why = entry.facts.get("why", "no answer came, and something else has moved the stock meanwhile")
        return DotyposUncertainBookingError(
            f"Nobody knows whether part {entry.part} is booked: {why}. It isn't sent again. Look into Dotypos; {seen} "
            f"holds what was seen. If it is booked, make an empty file {applied}; if it isn't, {not_applied}. Then run "
            "the task again.",
            evidence=entry.facts.get("stock", ()),
            journal=self._journal.address,
        )


class _TooLateError(Exception):
    """A request would have left too late, and hasn't."""


def _leaving_by(flow: Flow[T], moment: float) -> Flow[T]:
    """Perform a flow whose requests leave by a moment (epoch seconds), or not at all.

    :raises _TooLateError: if one would have left later.
    """
    with closing(flow):
        try:
            step = next(flow)
            while True:
                if isinstance(step, Send) and time.time() > moment:
                    raise _TooLateError
                try:
                    result = yield step
                except DotyposError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
