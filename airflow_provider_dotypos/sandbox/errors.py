"""The sandbox's refusals (page /api-reference/general/common-error-responses)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from http import HTTPStatus

import msgspec


class RefusedError(Exception):
    """A request that the API refuses.

    :param reason: the API's reason code, such as ``CLOUD_FORBIDDEN``.
    :param violations: for 400: what is wrong, as (field or None, message) pairs.
    """

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        message: str | None = None,
        violations: Sequence[tuple[str | None, str]] = (),
    ) -> None:
        super().__init__(message or reason or str(violations))
        self.status = status
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)

    def body(self) -> bytes:
        """Return the JSON body: ``violations`` for an invalid request, else an object with a reason [C2]."""
        if self.violations:
            return msgspec.json.encode(
                {"violations": [{"fieldName": name, "message": text} for name, text in self.violations]}
            )
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return msgspec.json.encode(
            {
                "timestamp": moment,
                "status": self.status,
                "error": HTTPStatus(self.status).phrase,
                "reason": self.reason,
                "message": self.message,
            }
        )


def invalid(field: str | None, message: str) -> RefusedError:
    """Return the refusal of a request with one violation."""
    return RefusedError(400, violations=[(field, message)])


def not_found(what: str) -> RefusedError:
    """Return the refusal for a row or path that isn't there. Only an empty list has an empty body [D]."""
    return RefusedError(404, "NOT_FOUND", f"{what} does not exist")
