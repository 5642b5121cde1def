"""Whether somebody approved a plan: a look at what an approving task returned.

Airflow's ``ApprovalOperator`` succeeds whether people approve or reject. *Reject* skips the tasks right behind it,
unless their trigger rules let them run all the same. So the task that applies a plan looks at the answer itself.

https://airflow.apache.org/docs/apache-airflow-providers-standard/stable/operators/hitl.html
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from airflow_provider_dotypos.api.overrides import describe, is_absent
from airflow_provider_dotypos.api.window import instant
from airflow_provider_dotypos.writes.errors import DotyposApprovalError

#: The option that approves.
APPROVE = "Approve"

_CURE = "Give what the approving task returned: approval=\"{{ ti.xcom_pull('approve') }}\", or approve.output"


class Approval(NamedTuple):
    """Who approved a plan, and when.

    :param by: the name that Airflow has for the user.
    :param at: when the user answered: ISO 8601 in UTC.
    """

    by: str
    at: str


def check_approval(answer: object, made_at: str) -> Approval:
    """Return who approved a plan.

    :param answer: what the approving task returned, or the text that a template makes of it.
    :param made_at: when the plan was made: ISO 8601. An earlier answer is about an earlier plan.
    :raises DotyposApprovalError: unless a person chose *Approve* after the plan was made.
    """
    read = _read_text(answer) if isinstance(answer, str) else answer
    if not isinstance(read, Mapping) or "chosen_options" not in read:
        if is_absent(answer):  # Airflow keeps no result of an approving task that skips those behind it
            raise DotyposApprovalError("the plan isn't approved: somebody rejected it, or no task of that id has run")
        raise DotyposApprovalError(f"approval must be an answer to a question, not {describe(answer)}. {_CURE}")
    user = read.get("responded_by_user")
    by = str(user.get("name") or user.get("id") or "") if isinstance(user, Mapping) else ""
    if not by:
        raise DotyposApprovalError(
            "the plan isn't approved: nobody answered in time, and the approving task took its defaults. Silence isn't "
            "an approval. Remove defaults from the approving task, clear it, and answer"
        )
    if read["chosen_options"] != [APPROVE]:
        raise DotyposApprovalError(f"the plan isn't approved: {by} chose something else than {APPROVE}")
    at = instant(read.get("responded_at") or "", "responded_at of approval")
    if at < instant(made_at, "made_at"):
        raise DotyposApprovalError(
            f"the plan isn't approved: {by} answered at {_shown(at)}, and this plan was made after that. The answer is "
            "about an earlier plan. Clear the approving task, and answer again"
        )
    return Approval(by, _shown(at))


def check_mapped(written: object, map_index: int) -> None:
    """Raise if a mapped task may get the answer about another one's plan.

    ``xcom_pull`` gives the answers to all mapped tasks, and the answer itself if there is only one: that of whichever
    plan was approved.

    :param written: the argument as the DAG has it.
    :param map_index: the task's, or -1 if it isn't mapped.
    :raises DotyposApprovalError: if it is a template that names no map index.
    """
    if map_index >= 0 and isinstance(written, str) and "map_index" not in written:
        raise DotyposApprovalError(
            "approval: in a mapped task this template pulls the answers about all plans. Name the one: "
            "\"{{ ti.xcom_pull('approve', map_indexes=ti.map_index) }}\"; in a mapped task group give approve.output"
        )


def _shown(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, timezone.utc).isoformat()


def _read_text(text: str) -> dict[str, object] | None:
    """Return the answer that a template made a text of: Python's own, in which times are calls of their class."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if not isinstance(tree, ast.Dict):
            return None
        return {
            str(ast.literal_eval(key)): _read_time(value) if isinstance(value, ast.Call) else ast.literal_eval(value)
            for key, value in zip(tree.keys, tree.values, strict=True)
            if key is not None
        }
    except (ValueError, OverflowError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _read_time(call: ast.Call) -> datetime:
    """Return the time that ``datetime.datetime(…)`` or ``DateTime(…)`` makes. Airflow keeps times of answers in UTC.

    :raises ValueError: if its zone is another one.
    """
    if "utc" not in "".join(ast.unparse(keyword.value) for keyword in call.keywords).lower():
        raise ValueError("not in UTC")
    return datetime(*map(ast.literal_eval, call.args)).replace(tzinfo=timezone.utc)
