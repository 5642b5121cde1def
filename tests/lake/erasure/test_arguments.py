from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.lake.erasure.arguments import read_customer_id


def test_an_id_is_a_number_or_its_text() -> None:
    assert read_customer_id("2000000000000007") == read_customer_id(2000000000000007) == 2000000000000007


@pytest.mark.parametrize("wrong", ["Jana", "", None, 0, -5, True, 1.5, "1,2", 2**63, "\uff19"], ids=repr)
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(DotyposInputError, match="customer_id is"):
        read_customer_id(wrong)


def test_what_was_given_by_mistake_is_not_shown() -> None:
    """An error goes into Airflow's log and database."""
    with pytest.raises(DotyposInputError) as raised:
        read_customer_id("jana@example.com")
    assert "jana" not in str(raised.value)
