"""The calls on one row that writing back is made of: a read with its ETag, and a write whose outcome is one of a few.

A write's outcome is a verdict, or it is open: a lost answer, an edit in between, a conflict with another row. A call
raises only what any other row would meet as well: such an error ends the whole run.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags, …/common-error-responses
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple, TypeAlias

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConflictError,
    DotyposError,
    DotyposNotFoundError,
    DotyposPreconditionError,
    DotyposResponseError,
    DotyposValidationError,
    DotyposWriteError,
)
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.places import ask_cloud, row_of
from airflow_provider_dotypos.api.reach import concerns_all_calls
from airflow_provider_dotypos.api.retry_table import CONTRADICTION
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict

#: Statuses that say of one row what they would say of any: no permission, no such method.
_OF_ANY_ROW = (401, 403, 405, 501)

#: Values this short may be in any message.
_TELLING = 3


class Open(Enum):
    """Outcomes of a write that only a read can settle."""

    LOST = auto()  #: No answer, or none that can be read: it may be carried out, now or later.
    CHANGED = auto()  #: Not carried out: the row isn't what it was when it was read, or it exists already.
    MISSING = auto()  #: Not carried out: the API knows no such row.
    EMPTY = auto()  #: A 404 without a body. The API knows no such row, or a gateway answered, whatever was carried out.


class Clash(NamedTuple):
    """A write that wasn't carried out as it conflicts with something: another row, or an edit in between.

    :param verdict: the verdict, unless it was an edit.
    """

    verdict: Verdict


#: What a refusal means: a verdict, or what a read has to settle.
Refused: TypeAlias = Verdict | Clash | Open

#: What came of a write: the row in its answer, or a refusal.
Outcome: TypeAlias = dict[str, Any] | Refused


def row_path(entity: Entity, planned: PlannedRow) -> str:
    """Return the path of a planned row."""
    return f"{entity.url_path()}/{planned.id}"


def read_row(exchange: Exchange, entity: Entity, planned: PlannedRow, course: Course) -> Flow[None]:
    """Read a row and its ETag into its course; ``None`` if there is no such row.

    :raises DotyposResponseError: if the answer is another row, or has no ETag.
    """

    def decode(answer: Answer) -> tuple[dict[str, Any], str]:
        row = row_of(answer)
        if str(row.get("id")) != planned.id:
            raise DotyposResponseError(f"answered {answer.status} with another row", reason=CONTRADICTION)
        etag = answer.headers.get("ETag")
        if not etag:
            raise DotyposResponseError(
                f"answered {answer.status} without an ETag, so an edit between this read and a write would go unseen"
            )
        return row, etag

    course.row = course.etag = None
    for again in (True, False):
        course.requests += 1
        try:
            course.row, course.etag = yield from exchange.flow("GET", row_path(entity, planned), decode=decode)
        except DotyposNotFoundError as error:
            if concerns_all_calls(error):
                raise
            if error.refusal.empty and again:  # a gateway that finds no server looks the same
                course.requests += 1
                yield from ask_cloud(exchange)
                continue
        return


def write_row(
    exchange: Exchange,
    method: str,
    entity: Entity,
    planned: PlannedRow,
    course: Course,
    *,
    json: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> Flow[Outcome]:
    """Send a write of a row, with the ETag that its course holds, and return what came of it."""
    headers = {"If-Match": course.etag} if course.etag else None
    course.tries += 1
    course.requests += 1
    course.before, course.etag = course.row, None
    try:
        course.row = yield from exchange.flow(
            method, row_path(entity, planned), params=params, json=json, headers=headers, decode=row_of
        )
    except DotyposWriteError:
        course.lose()
        return Open.LOST
    except DotyposApiError as error:
        outcome = refused(entity, planned, error)
        if outcome is Open.EMPTY:
            course.lose()
        return outcome
    except DotyposError as error:
        course.tries -= not error.sent
        raise
    except GeneratorExit:  # what ends the task, such as its time-out, breaks in upon the call
        course.lose()
        raise
    id = course.row.get("id")
    if id is None or (method != "PUT" and str(id) != planned.id):  # another object says nothing of this row
        course.lose()
        return Open.LOST
    return course.row


def refused(entity: Entity, planned: PlannedRow, error: DotyposApiError) -> Refused:
    """Return what the refusal of a row's write means.

    :raises DotyposApiError: the error, if any other row would meet it as well.
    """
    if isinstance(error, DotyposPreconditionError):
        return Open.CHANGED
    if concerns_all_calls(error) or error.status in _OF_ANY_ROW:
        raise error
    if isinstance(error, DotyposNotFoundError):
        return Open.EMPTY if error.refusal.empty else Open.MISSING
    verdict = rejected(entity, planned, error)
    return Clash(verdict) if isinstance(error, DotyposConflictError) else verdict


def rejected(entity: Entity, planned: PlannedRow, error: DotyposApiError) -> Verdict:
    """Return the verdict on a row that the API refuses. Its reason holds none of the row's personal data."""
    if isinstance(error, DotyposValidationError) and error.violations:
        named = [((field or "").rpartition("].")[2], message) for field, message in error.violations]
        said = "; ".join(f"{field or 'row'} {message}" for field, message in named)
        fields = tuple(dict.fromkeys(field for field, _ in named if field))
    else:
        said, fields = error.refusal.message or error.reason or "", ()
    if any(len(text) >= _TELLING and text.lower() in said.lower() for text in _personal_texts(entity, planned)):
        said = ""
    return Verdict("rejected", f"the API answered {error.status}" + (f": {said}" if said else ""), fields)


def _personal_texts(entity: Entity, planned: PlannedRow) -> Iterator[str]:
    """Yield the texts of a planned row that are personal data, or may be, in a field that isn't documented."""
    for name, value in (*planned.before.items(), *planned.after.items()):
        field = entity.fields.get(name)
        if field is None or field.personal:
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))
