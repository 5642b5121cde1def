"""The report on a plan: what became of each of its rows, in a file beside it.

It is JSON lines: a header with the counts, then a line for each row of the plan, in its order. It holds no values but
keys and ids, and a key that is personal data stands there as its hash.

An attempt writes it when it begins, and when it ends, however that is. So a later one knows that there was one before,
and how it ended. Of two attempts at once each adds what the other has noted meanwhile; on a local disk they take turns.
One that is killed leaves the mark that it has made at its beginning: which rows it has written isn't known then.

Rows that are done once stay so: what the plan has changed counts as *applied*, until a later attempt sees otherwise,
and also when that finds it *already* there. So does a row that an attempt has left *uncertain*, for its write must have
been lost; until it is seen again it stays *uncertain*.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Literal, TypeAlias

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import iso, milliseconds
from airflow_provider_dotypos.storage.staging import open_private
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.personal import hashed
from airflow_provider_dotypos.writes.plan import Op, PlannedRow
from airflow_provider_dotypos.writes.plan_file import Plan
from airflow_provider_dotypos.writes.verdicts import FINAL, Status, Verdict

log = logging.getLogger(__name__)

#: The version of the report's format.
FORMAT = 1

#: Whether a row was written: surely, or by a write whose answer was lost.
Written: TypeAlias = Literal["yes", "maybe"]


class ReportHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a report.

    :param format: the format's version.
    :param plan: the plan's digest.
    :param entity: the entity whose rows were written.
    :param cloud_id: the cloud.
    :param written_at: when this was written: ISO 8601 in UTC.
    :param complete: whether every row was tried; ``False`` while an attempt runs, and after one that was broken off.
    :param counts: how many rows have each status.
    :param unreported: marks of attempts that haven't said yet what they have written: they run, or were killed.
    """

    format: int
    plan: str
    entity: str
    cloud_id: int
    written_at: str
    complete: bool
    counts: Mapping[str, int]
    unreported: tuple[str, ...] = ()


class ReportRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The line of a row: what it was to become, and its `Verdict`.

    :param row: the number of the source's row.
    :param written: whether an attempt to apply the plan has written the row; ``None`` if none has.
    """

    row: int
    op: Op
    key: tuple[str, ...]
    status: Status
    id: str | None = None
    why: str | None = None
    fields: tuple[str, ...] = ()
    tries: int = 0
    requests: int = 0
    written: Written | None = None


class Report:
    """What has become of a plan's rows. Threads may note verdicts at once.

    :param plan: the plan.
    :ivar earlier: the header of the report of an earlier attempt, if there was one.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._entity = find_entity(plan.header.entity)
        self._noting = threading.Lock()
        self._verdicts: dict[int, Verdict] = {}
        self._written: dict[int, Written] = {}
        self._mark = secrets.token_hex(8)
        self.earlier = self._last = self._read_earlier()

    @property
    def path(self) -> str:
        """Where the report is."""
        return str(self._plan.store.folder / self._plan.report_name)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have each status."""
        return dict(Counter(self.verdict(planned).status for planned in self._plan.rows()))

    def verdict(self, planned: PlannedRow) -> Verdict:
        """Return the verdict on a row."""
        if planned.op == "conflict":
            return Verdict("conflict", planned.why)
        verdict = self._verdicts.get(planned.row) or Verdict("not tried")
        written = self._written.get(planned.row)
        if written and verdict.status == "already":
            return msgspec.structs.replace(verdict, status="applied")
        if written and verdict.status == "not tried":
            return Verdict("applied") if written == "yes" else Verdict("uncertain", "an earlier attempt has left it so")
        return verdict

    def is_open(self, planned: PlannedRow) -> bool:
        """Return whether this attempt has still to look at a row."""
        noted = self._verdicts.get(planned.row)
        return planned.op != "conflict" and (noted is None or noted.status not in FINAL)

    def course(self, planned: PlannedRow) -> Course:
        """Return the course of a row, as earlier attempts have left it."""
        if planned.row not in self._written and not self._others():
            return Course()
        # The version that the write was sent to is the plan's, unless the row was edited before.
        return Course(sent=True, sent_to=planned.version)

    def note(self, planned: PlannedRow, verdict: Verdict) -> None:
        """Note the verdict on a row; the last one counts."""
        with self._noting:
            self._verdicts[planned.row] = verdict

    def begin(self) -> None:
        """Write the report as an attempt begins, which may end without another word."""
        self._put({self._mark}, complete=False)

    def write(self, *, complete: bool) -> None:
        """Write the report beside its plan, whole, as an attempt ends.

        :param complete: whether every row was tried.
        """
        self._put(set(), complete=complete)

    def _others(self) -> set[str]:
        """Return the marks of other attempts that haven't said how they ended."""
        return {*self._last.unreported} - {self._mark} if self._last else set()

    def _put(self, marks: set[str], *, complete: bool) -> None:
        store = self._plan.store
        with store.alone(), store.staging() as folder:
            self._take_others()
            header = ReportHeader(
                format=FORMAT,
                plan=self._plan.header.digest,
                entity=self._plan.header.entity,
                cloud_id=self._plan.header.cloud_id,
                written_at=iso(milliseconds(datetime.now(timezone.utc))),
                complete=complete,
                counts=self.counts,
                unreported=(*sorted(self._others() | marks),),
            )
            staged = folder / store.staging_name()
            try:
                with open_private(staged) as file:
                    file.write(msgspec.json.encode(header) + b"\n")
                    for planned in self._plan.rows():
                        file.write(msgspec.json.encode(self._line(planned)) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                store.put(staged, self._plan.report_name, private=True)
            finally:
                staged.unlink(missing_ok=True)
        self._last = header

    def _line(self, planned: PlannedRow) -> ReportRow:
        verdict = self.verdict(planned)
        personal = (self._entity.fields[name].personal for name in self._plan.header.match)
        key = tuple(
            hashed(text, self._plan.header.salt) if is_personal else text
            for text, is_personal in zip(planned.key, personal, strict=True)
        )
        return ReportRow(
            row=planned.row,
            op=planned.op,
            key=key,
            id=planned.id,
            written=self._written_by(planned, verdict),
            **msgspec.structs.asdict(verdict),
        )

    def _read_earlier(self) -> ReportHeader | None:
        """Take what an earlier attempt has left: all that is final if it was broken off, else what it has applied."""
        try:
            with self._plan.store.open(self._plan.report_name) as file:
                header = msgspec.json.decode(file.readline(), type=ReportHeader)
                for line in file:
                    self._take(msgspec.json.decode(line, type=ReportRow), final=not header.complete)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise DotyposInputError(
                f"{self.path} isn't a report of this version. It says which rows of the plan are done: move it away to "
                "apply the plan as if for the first time"
            ) from None
        return header

    def _take_others(self) -> None:
        """Take what another attempt has written since this one has read or written the report."""
        try:
            first, *lines = self._plan.store.read(self._plan.report_name).splitlines()
            header = msgspec.json.decode(first, type=ReportHeader)
            if header != self._last:
                for line in lines:
                    self._take(msgspec.json.decode(line, type=ReportRow), final=True)
                self._last = header
        except FileNotFoundError:
            return
        except Exception as error:  # whatever a store raises: what this attempt knows must be written
            log.warning("The report %s can't be read (%s), and is replaced.", self.path, type(error).__name__)

    def _take(self, line: ReportRow, *, final: bool) -> None:
        """Take what a report says of a row.

        :param final: whether its verdict counts, if it is final and this attempt has none.
        """
        with self._noting:
            if line.written and self._written.get(line.row) != "yes":
                self._written[line.row] = line.written
            if final and line.status in FINAL and line.op != "conflict":
                verdict = Verdict(line.status, line.why, line.fields, line.tries, line.requests)
                self._verdicts.setdefault(line.row, verdict)

    def _written_by(self, planned: PlannedRow, verdict: Verdict) -> Written | None:
        """Return whether this plan has written a row, by this attempt or an earlier one."""
        written = self._written.get(planned.row)
        if written == "yes" or verdict.status == "applied":
            return "yes"
        # Of a row that was sent before it was seen to be in conflict, the answer may have been lost.
        in_doubt = verdict.status == "uncertain" or (verdict.status == "conflict" and verdict.tries > 0)
        return "maybe" if in_doubt else written
