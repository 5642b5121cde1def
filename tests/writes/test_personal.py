from __future__ import annotations

from airflow_provider_dotypos.writes.personal import hashed


def test_equal_values_of_a_plan_have_equal_marks() -> None:
    assert hashed("+420 603 123 456", "a" * 32) == hashed("+420 603 123 456", "a" * 32)
    assert hashed("+420 603 123 456", "a" * 32) != hashed("+420 603 123 457", "a" * 32)


def test_marks_of_two_plans_cannot_be_compared() -> None:
    assert hashed("Jan", "a" * 32) != hashed("Jan", "b" * 32)


def test_a_mark_holds_nothing_of_the_value() -> None:
    assert hashed(["Jan", "Eva"], "a" * 32).startswith("#")
    assert len(hashed("Jan" * 100, "a" * 32)) == len(hashed("J", "a" * 32)) == 13


def test_that_there_is_no_value_may_be_seen() -> None:
    assert (hashed(None, "a"), hashed("", "a")) == ("null", '""')
