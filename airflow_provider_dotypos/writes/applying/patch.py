"""A few fields of one row, changed unless somebody else has changed them: what a plan does for each of its rows.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from airflow_provider_dotypos.api.entities import Entity, find_entity, id_text
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.retry_table import NOTHING_LEFT_TO_TRY
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.window import check_settle
from airflow_provider_dotypos.writes.applying.calls import read_row
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.applying.update import update
from airflow_provider_dotypos.writes.errors import DotyposWritesFailedError
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.rules import checked_row
from airflow_provider_dotypos.writes.verdicts import DONE, FINAL

Row: TypeAlias = dict[str, Any]


def patch(
    exchange: Exchange,
    name: str,
    id: int | str,
    changes: Mapping[str, Any],
    *,
    expected: Mapping[str, Any] | None,
    settle: float,
) -> Flow[Row]:
    """Return the flow that changes fields of a row, and returns it as it is then.

    :param changes: the fields and what they are to hold.
    :param expected: what fields among `changes` hold, as far as is known. Defaults to what they hold at the first read.
    :param settle: seconds until a write shows in the API.
    :raises DotyposPlanError: if a field can't be changed so; all that is wrong at once.
    :raises DotyposWritesFailedError: if the row isn't as wanted in the end.
    """
    entity = find_entity(name)
    if "PATCH" not in entity.writes.row_methods:
        raise DotyposInputError(f"the API can't change fields of {name}")
    check_settle(settle)
    cloud_id = exchange.settings.require_cloud_id()
    row_id = str(int(id_text(id, f"{name}: an id")))  # 05 is 5
    after = _checked(entity, row_id, changes, cloud_id, "changes")
    before = _checked(entity, row_id, expected or {}, cloud_id, "expected")
    if unplanned := sorted(before.keys() - after.keys()):
        raise DotyposInputError(f"expected names {', '.join(unplanned)}, which changes doesn't")
    course = Course()
    planned = PlannedRow("update", (row_id,), 1, id=row_id, after=after)
    yield from read_row(exchange, entity, planned, course)
    held = {field: (course.row or {}).get(field) for field in after}
    planned = PlannedRow("update", (row_id,), 1, id=row_id, before=held | before, after=after)
    verdict = yield from update(exchange, entity, planned, cloud_id=cloud_id, settle=settle, course=course)
    if verdict.status not in DONE or course.row is None:
        about = f" ({', '.join(verdict.fields)})" if verdict.fields else ""
        raise DotyposWritesFailedError(
            f"{name} {row_id}: {verdict.status}: {verdict.why}{about}",
            counts={verdict.status: 1},
            reason=NOTHING_LEFT_TO_TRY if verdict.status in FINAL else None,
        )
    return course.row


def _checked(entity: Entity, row_id: str, fields: Mapping[str, Any], cloud_id: int, argument: str) -> dict[str, Any]:
    """Return values in the API's form.

    :param argument: what the caller's argument is called.
    :raises DotyposPlanError: if one can't be written; it names all that is wrong.
    """
    values, wrong = checked_row(entity, {**fields, "id": row_id}, 1, match=("id",), cloud_id=cloud_id, nulls="clear")
    problems = Problems()
    for problem in wrong:
        problems.add(problem._replace(row=None))
    problems.raise_any(argument)
    return {field: value for field, value in values.items() if field != "id"}
