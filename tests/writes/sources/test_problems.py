from __future__ import annotations

import pytest

from airflow_provider_dotypos.exceptions import DotyposPlanError
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.sources.problems import KEPT, Problems


def raised(*given: Problem) -> DotyposPlanError:
    problems = Problems()
    for problem in given:
        problems.add(problem)
    with pytest.raises(DotyposPlanError) as error:
        problems.raise_any("prices.csv")
    assert len(problems) == len(given)
    return error.value


def test_nothing_is_raised_without_a_problem() -> None:
    Problems().raise_any("prices.csv")


def test_problems_of_one_kind_stand_on_one_line() -> None:
    error = raised(*(Problem(row, "vat", "is wrong") for row in range(1, 9)), Problem(3, None, "isn't JSON"))
    assert str(error).splitlines() == [
        "prices.csv: nothing is written, because of 9 problems",
        "- rows 1, 2, 3, 4, 5 and 3 more: vat: is wrong",
        "- row 3: isn't JSON",
    ]
    assert error.problems[-1] == Problem(3, None, "isn't JSON")


def test_a_problem_of_the_whole_source_has_no_row() -> None:
    assert str(raised(Problem(None, None, "it is empty"))).endswith("1 problem\n- it is empty")


def test_a_million_problems_take_little_room() -> None:
    error = raised(*(Problem(row, f"field{row}", "is wrong") for row in range(1, 5001)))
    assert len(error.problems) == KEPT
    assert len(str(error).splitlines()) == 52
    assert "more kinds of problem" in str(error)


def test_as_many_kinds_as_are_shown_leave_no_more() -> None:
    assert "more kinds" not in str(raised(*(Problem(row, f"field{row}", "is wrong") for row in range(50))))


def test_as_many_rows_as_are_shown_leave_no_more() -> None:
    assert str(raised(*(Problem(row, None, "is wrong") for row in range(1, 6)))).endswith(
        "rows 1, 2, 3, 4, 5: is wrong"
    )
