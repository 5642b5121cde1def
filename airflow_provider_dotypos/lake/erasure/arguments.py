"""What an erasure's arguments may say: checked when a DAG is parsed, so it loads nothing heavy."""

from __future__ import annotations

from airflow_provider_dotypos.api.errors import DotyposInputError

#: Ids are 64-bit integers.
_LARGEST = 2**63 - 1


def read_customer_id(value: object) -> int:
    """Return a customer's id.

    :raises DotyposInputError: if it isn't a positive whole number. It doesn't show the value: somebody may have given
        an e-mail address or a name, and errors are kept in Airflow's log and database.
    """
    text = str(value).strip()
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST))
    if isinstance(value, bool) or not is_number or not 0 < int(text) <= _LARGEST:
        raise DotyposInputError(
            f"customer_id is the id of a customer, a positive whole number, not this value of type "
            f"{type(value).__name__}. It isn't shown, as it may be personal data"
        )
    return int(text)
