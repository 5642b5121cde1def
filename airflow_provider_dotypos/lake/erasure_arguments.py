"""What an erasure's arguments may say: checked when a DAG is parsed, so it loads nothing heavy."""

from __future__ import annotations

from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposInputError


def read_customer_id(value: object) -> int:
    """Return a customer's id.

    :raises DotyposInputError: if it isn't a positive whole number.
    """
    id = int(id_text(value, "customer_id"))
    if id <= 0:
        raise DotyposInputError("customer_id is the id of a customer, a positive whole number")
    return id
