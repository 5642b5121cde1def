"""The sandbox's refusals (page /api-reference/general/common-error-responses)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from http import HTTPStatus

import msgspec

#: What is wrong with a request: the field, or None, and a message.
Violation = tuple[str | None, str]


class RefusedError(Exception):
    """A request that the API refuses.

    :param reason: the API's reason code, such as ``CLOUD_FORBIDDEN``.
    :param violations: for 400: all that is wrong with the request.
    """

    def __init__(
        self, status: int, reason: str | None = None, message: str | None = None, violations: Sequence[Violation] = ()
    ) -> None:
        super().__init__(message or reason or str(violations))
        self.status = status
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)

    def body(self, *, paths: bool = False) -> bytes:
        """Return the JSON body: ``violations`` for an invalid request, otherwise an object with a reason [C2].

        :param paths: whether violations name fields by a ``path`` [C1], not by ``fieldName`` [C2].
        """
        if self.violations:
            names = [{"path": (name or "").split(".")} if paths else {"fieldName": name} for name, _ in self.violations]
            texts = [{"message": text} for _, text in self.violations]
            return msgspec.json.encode({"violations": [a | b for a, b in zip(names, texts, strict=True)]})
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        phrase = HTTPStatus(self.status).phrase
        fields = {"timestamp": moment, "status": self.status, "error": phrase}
        return msgspec.json.encode(fields | {"reason": self.reason, "message": self.message})


def invalid(field: str | None, message: str) -> RefusedError:
    """Return the refusal of a request with one violation."""
    return RefusedError(400, violations=[(field, message)])


def not_found(thing: str) -> RefusedError:
    """Return the refusal for a row or path that doesn't exist. Only an empty list has an empty body [D]."""
    return RefusedError(404, "NOT_FOUND", f"{thing} does not exist")
