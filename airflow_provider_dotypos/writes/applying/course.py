"""What has happened to a row since its apply began, from which its verdict follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_dotypos.writes.verdicts import Verdict

#: Seconds until the first look after a write whose outcome is open. Later waits double, up to ``settle``.
_FIRST_WAIT = 0.25

#: How often a row is tried at least.
_FEWEST_TRIES = 8


@dataclass
class Course:
    """The course of one row.

    :ivar tries: how many writes were sent.
    :ivar requests: how many requests were asked for.
    :ivar lost: whether the answer to a write was lost.
    :ivar sent: whether a write was carried out, or may have been.
    :ivar sent_to: the ``versionDate`` of the row that it was sent to, which may be null.
    :ivar before: the row as it was read before the last write; ``None`` for a create.
    :ivar row: the row as it was last seen, by a read or by a write's answer; ``None`` if there is none.
    :ivar etag: the ETag of `row`, if it was just read.
    """

    tries: int = 0
    requests: int = 0
    lost: bool = False
    sent: bool = False
    sent_to: str | None = None
    before: dict[str, Any] | None = None
    row: dict[str, Any] | None = None
    etag: str | None = None

    @property
    def was_answered(self) -> bool:
        """Whether `row` is the answer to the last write."""
        return self.row is not None and self.etag is None

    def lose(self) -> None:
        """Remember that the answer to the last write was lost."""
        self.lost = self.sent = True
        self.sent_to = (self.before or {}).get("versionDate")

    def put_back(self, row: Mapping[str, Any]) -> Verdict | None:
        """Return the verdict on a row that is as before, if it may have been as planned in between; else ``None``.

        :param row: the row as it was just read.
        """
        if not self.sent or row.get("versionDate") == self.sent_to:
            return None
        why = "it has changed since a write of this plan that may have been carried out: somebody may have put it back"
        return Verdict("conflict", why)

    def close(self, verdict: Verdict) -> Verdict:
        """Return a verdict with what it cost. A row that is as planned after a lost answer counts as ``applied``."""
        status = "applied" if verdict.status == "already" and self.lost else verdict.status
        return msgspec.structs.replace(verdict, status=status, tries=self.tries, requests=self.requests)

    def interrupt(self, why: str) -> Verdict:
        """Return the verdict on a row whose course was broken off.

        :param why: what broke it off.
        """
        return self.close(Verdict("uncertain" if self.lost else "not tried", why))


def waits(settle: float) -> Iterator[float]:
    """Yield the seconds to wait after each write whose outcome is open, the last time `settle`.

    A read that comes too early shows the row as it was. To write again then would do no harm, but be in vain: under lag
    a dozen quick tries would end without a result although the first one was carried out.
    """
    tries, wait = 1, _FIRST_WAIT
    while wait < settle or tries < _FEWEST_TRIES:
        yield min(wait, settle)
        tries, wait = tries + 1, wait * 2
    yield settle
