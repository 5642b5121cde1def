"""Which failures are tried again: one table, a sentence a row.

An error carries facts: its class, its status and its reasons. The first row that fits gives the verdict. Rows name
classes by their names, so that the table lies below the errors, which answer from it (``DotyposError.permanent``).
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum, auto
from typing import Protocol


class Verdict(Enum):
    """What to do about a failure."""

    RETRY = auto()  #: The same call may succeed soon: the client repeats it.
    LATER = auto()  #: Not soon: Airflow's retries of the task may help.
    FAIL = auto()  #: It will fail again: the task fails at once.
    ASK = auto()  #: A write may have been carried out: nothing repeats it before somebody looks.


class Failure(Protocol):
    """The facts that the table judges by; see ``DotyposError``."""

    status: int | None
    sent: bool

    @property
    def reasons(self) -> Container[str]:
        """All that is known of why it failed."""


#: Reasons of a refusal, besides the API's own codes.
SIGN_IN = "at the sign-in"
STALE_TOKEN = "for its access token"
NO_BODY = "without a body"
LONG_WAIT = "with a longer Retry-After than is worth a worker's slot"

#: A longer ``Retry-After`` than this, in seconds, isn't waited out: it would hold a worker slot for nothing.
LONGEST_RETRY_AFTER = 600.0

#: Of several lists that have failed: a retry can't help any of them.
INCURABLE = "none can be cured by a retry"
#: Of a trigger's error.
CURABLE_BY_NO_RETRY = "no retry can cure it"
#: Of a plan's rows: all that are not as planned are refused or in conflict.
NOTHING_LEFT_TO_TRY = "the same plan can do no more"
#: Reason why a used-up request budget won't do later either.
TOO_MANY_TOGETHER = "rows that belong together need more requests than it has"

#: Reasons why an answer can't be used.
FOREIGN = "something in between answered"
NOT_JSON = "not JSON"
CONTRADICTION = "it contradicts itself"
OTHER_CLOUD = "it isn't the cloud asked for"
REDIRECT = "a redirect"
NOT_A_SIGN_IN = "the server has no sign-in"

#: Reasons why a till doesn't take an action.
SILENT = "the till doesn't answer"
BUSY = "another action is under way at the till"
#: Of a till's refusal.
PASSES = "it passes by itself"

#: Reasons why a database can't do what it was asked for.
DATABASE_LOST = "the connection to the database was lost"
DATABASE_BUSY = "another transaction was in the way"
DATABASE_REFUSED = "the database refuses it"

_ANY = None

_RETRY, _LATER, _FAIL, _ASK = Verdict

#: What failed, why, and the verdict on a call that may be repeated and on a write that was sent.
_TABLE: tuple[tuple[str | int, str | None, Verdict, Verdict], ...] = (
    ("DotyposInputError", _ANY, _FAIL, _FAIL),
    ("DotyposConfigurationError", _ANY, _FAIL, _FAIL),
    ("DotyposEnvironmentError", _ANY, _FAIL, _FAIL),
    ("PyarrowMissingError", _ANY, _FAIL, _FAIL),
    ("PandasMissingError", _ANY, _FAIL, _FAIL),
    ("DamagedSetError", _ANY, _FAIL, _FAIL),
    ("SetsChangedError", _ANY, _LATER, _LATER),
    # The table must be loaded again first.
    ("DotyposSalesReportError", _ANY, _FAIL, _FAIL),
    ("DotyposFreshnessError", _ANY, _LATER, _LATER),
    ("DotyposDatabaseError", DATABASE_LOST, _RETRY, _RETRY),
    ("DotyposDatabaseError", DATABASE_BUSY, _RETRY, _RETRY),
    ("DotyposDatabaseError", DATABASE_REFUSED, _FAIL, _FAIL),
    ("DotyposDatabaseError", _ANY, _LATER, _LATER),
    ("DotyposSourceError", _ANY, _LATER, _LATER),
    ("DotyposUncertainBookingError", _ANY, _ASK, _ASK),
    # It must be counted again.
    ("DotyposStockTakingError", _ANY, _FAIL, _FAIL),
    ("DotyposListsError", INCURABLE, _FAIL, _FAIL),
    ("DotyposListsError", _ANY, _LATER, _LATER),
    ("DotyposTriggerError", CURABLE_BY_NO_RETRY, _FAIL, _FAIL),
    ("DotyposTriggerError", _ANY, _LATER, _LATER),
    ("DotyposWritesFailedError", NOTHING_LEFT_TO_TRY, _FAIL, _FAIL),
    ("DotyposWritesFailedError", _ANY, _LATER, _LATER),
    ("DotyposBudgetError", TOO_MANY_TOGETHER, _FAIL, _FAIL),
    ("DotyposBudgetError", _ANY, _LATER, _LATER),
    ("DotyposWalkError", _ANY, _LATER, _LATER),
    ("DotyposClockError", _ANY, _LATER, _LATER),
    ("DotyposCancelledError", _ANY, _LATER, _LATER),
    ("DotyposTillError", _ANY, _LATER, _LATER),
    ("DotyposPosActionError", PASSES, _LATER, _LATER),
    ("DotyposPosActionError", _ANY, _FAIL, _FAIL),
    ("DotyposUncertainWriteError", _ANY, _ASK, _ASK),
    ("DotyposWriteError", _ANY, _FAIL, _FAIL),
    # No whole answer.
    ("DotyposTlsError", _ANY, _FAIL, _ASK),
    ("DotyposAnswerTooLargeError", _ANY, _LATER, _ASK),
    ("DotyposConnectionError", _ANY, _RETRY, _ASK),
    # An answer that isn't Dotypos's.
    ("DotyposResponseError", FOREIGN, _RETRY, _ASK),
    ("DotyposResponseError", NOT_JSON, _RETRY, _FAIL),
    ("DotyposResponseError", CONTRADICTION, _RETRY, _FAIL),
    ("DotyposResponseError", OTHER_CLOUD, _RETRY, _FAIL),
    ("DotyposResponseError", REDIRECT, _FAIL, _FAIL),
    ("DotyposResponseError", NOT_A_SIGN_IN, _FAIL, _FAIL),
    ("DotyposResponseError", _ANY, _LATER, _FAIL),
    # Dotypos's own refusals. A call's 401 came with a token that had just been issued: not all nodes may know it.
    (401, SIGN_IN, _FAIL, _FAIL),
    # Dotypos gives its reason, and an expired token is a 403 [D2, C3]. A proxy may have passed the write on.
    (401, NO_BODY, _RETRY, _ASK),
    (401, _ANY, _RETRY, _RETRY),
    (403, NO_BODY, _RETRY, _ASK),
    (403, SIGN_IN, _FAIL, _FAIL),
    (403, STALE_TOKEN, _RETRY, _RETRY),
    (501, _ANY, _LATER, _LATER),
    (505, _ANY, _LATER, _ASK),
    ("DotyposBusyError", _ANY, _LATER, _LATER),
    ("DotyposRateLimitError", LONG_WAIT, _LATER, _LATER),
    ("DotyposRateLimitError", _ANY, _RETRY, _RETRY),
    ("DotyposServerError", LONG_WAIT, _LATER, _ASK),
    ("DotyposServerError", _ANY, _RETRY, _ASK),
    ("DotyposApiError", _ANY, _FAIL, _FAIL),
    ("DotyposError", _ANY, _LATER, _LATER),
)


def verdict(failure: Failure, *, safe: bool = True) -> Verdict:
    """Return what the table says about a failure.

    :param safe: whether the call may be carried out twice; a write may not, once it was sent.
    """
    names = {kind.__name__ for kind in type(failure).__mro__}
    for named, reason, verdict_on_call, verdict_on_write in _TABLE:
        if (named in names or named == failure.status) and (reason is _ANY or reason in failure.reasons):
            return verdict_on_call if safe or not failure.sent else verdict_on_write
    raise TypeError(f"{type(failure).__name__} isn't a DotyposError")
