"""POS actions: what a till can be asked to do, with which fields, and what its result codes mean.

Actions and codes are documented second-hand [D2]; tills of Dotypos 2.17 and later know them. A field's notation is
``name:kind``, with ``!`` if it is required. Kinds: ``id``, ``integer``, ``number``, ``text``, ``flag``, ``object``, and
the names of `_PARTS`, which are lists of objects.

https://docs.api.dotypos.com/pos-actions/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.api.overrides import describe


class Evidence(Enum):
    """What says whether an action was carried out that was sent and never answered."""

    HARMLESS = auto()  #: It changes nothing: it is sent again.
    SAME = auto()  #: To repeat it leaves the same: it is sent again.
    CODE = auto()  #: It is sent again, and a code says that it was done before.
    EXTERNAL_ID = auto()  #: The cloud shows an order with its external id.
    STATUS = auto()  #: The cloud shows the order's status.
    NOTHING = auto()  #: Nothing. It is never repeated.


class Field(NamedTuple):
    """A field of an action."""

    kind: str
    required: bool


class PosAction(NamedTuple):
    """One action.

    :param evidence: what says whether it was carried out.
    :param fiscal: whether it issues a fiscal document, which nothing can undo.
    :param done_by: result codes by which a repeat learns that it was carried out before.
    :param not_in: countries (ISO 3166-1) whose tills refuse it.
    """

    name: str
    fields: Mapping[str, Field]
    evidence: Evidence
    fiscal: bool = False
    done_by: frozenset[int] = frozenset()
    not_in: tuple[str, ...] = ()

    @property
    def pays(self) -> bool:
        """Whether it pays an order."""
        return self.name.endswith("pay")


def _fields(text: str) -> Mapping[str, Field]:
    pairs = (entry.split(":") for entry in text.split())
    return MappingProxyType({name: Field(kind.rstrip("!"), kind.endswith("!")) for name, kind in pairs})


#: What lists hold, by the kind of the field.
_PARTS: Mapping[str, Mapping[str, Field]] = {
    "items": _fields(
        "id:id! qty:number note:text discount-percent:number manual-price:number manual-points:number tags:texts "
        "course-id:id customizations:customizations take-away:flag"
    ),
    "customizations": _fields("product-customization-id:id! product-id:id! manual-price:number qty:integer"),
    "split-items": _fields("id:id! qty:number!"),
    "course-changes": _fields("order-item-id:id! new-course-id:id"),
    "take-away-changes": _fields("order-item-id:id! take-away:flag!"),
}

_CREATE = (
    "external-id:text! customer-id:id discount-percent:number guest-count:integer table-id:id note:text delivery:flag "
    "items:items lock:flag "
)
_SPLIT = (
    "order-id:id! split-items:split-items! external-id:text customer-id:id table-id:id note:text "
    "discount-percent:number lock:flag "
)
# That these may be left to the till is assumed [A]: a client sends `print-type` alone [C1].
_PRINT = "print-type:text print-config:object print-email:text take-away:flag "
_PAYMENT = "payment-method-id:id! "
_APPEND = "print-append:text "
#: Fields of every action.
_COMMON = "user-id:id "

_SK = ("SK",)


def _action(name: str, fields: str, evidence: Evidence, **more: Any) -> PosAction:
    return PosAction(name, _fields(_COMMON + fields), evidence, **more)


#: All actions, by their names. Fiscal ones issue a document.
ACTIONS: Mapping[str, PosAction] = MappingProxyType(
    {
        action.name: action
        for action in (
            _action("order/hello", "", Evidence.HARMLESS),
            _action("order/list", "table-id:id customer-id:id", Evidence.HARMLESS),
            _action("order/create", _CREATE, Evidence.EXTERNAL_ID),
            _action(
                "order/update",
                "order-id:id! customer-id:id discount-percent:number note:text guest-count:integer lock:flag",
                Evidence.SAME,
            ),
            _action("order/add-item", "order-id:id! items:items! table-id:id lock:flag", Evidence.NOTHING),
            _action("order/split", _SPLIT, Evidence.EXTERNAL_ID),
            _action(
                "order/issue",
                "order-id:id! guest-count:integer " + _PRINT,
                Evidence.CODE,
                fiscal=True,
                done_by=frozenset({2004, 2005}),
                not_in=_SK,
            ),
            _action("order/pay", "order-id:id! " + _PAYMENT, Evidence.CODE, done_by=frozenset({2004}), not_in=_SK),
            _action(
                "order/create-issue",
                _CREATE + _PRINT + _PAYMENT,
                Evidence.EXTERNAL_ID,
                fiscal=True,
                not_in=_SK,
            ),
            _action("order/create-issue-pay", _CREATE + _PRINT + _PAYMENT + _APPEND, Evidence.EXTERNAL_ID, fiscal=True),
            _action("order/split-issue", _SPLIT + _PRINT, Evidence.EXTERNAL_ID, fiscal=True, not_in=_SK),
            _action("order/split-issue-pay", _SPLIT + _PRINT + _PAYMENT + _APPEND, Evidence.EXTERNAL_ID, fiscal=True),
            _action(
                "order/issue-and-pay",
                "order-id:id! guest-count:integer " + _PAYMENT + _PRINT + _APPEND,
                Evidence.CODE,
                fiscal=True,
                done_by=frozenset({2004}),
            ),
            _action("order/cancel", "order-id:id!", Evidence.CODE, done_by=frozenset({2010})),
            _action("order/perform-status-transition", "order-id:id! status-transition:text!", Evidence.STATUS),
            _action("order/change-item-course", "order-id:id! course-changes:course-changes!", Evidence.SAME),
            _action("order/prepare-next-course", "order-id:id!", Evidence.NOTHING),
            _action("order/set-item-takeaway", "order-id:id! take-away-changes:take-away-changes!", Evidence.SAME),
            _action("order/sk/print-last-document", "", Evidence.CODE, done_by=frozenset({2})),
        )
    }
)

#: The status of an order after each transition. The list may grow [D2].
TRANSITIONS: Mapping[str, str] = MappingProxyType(
    {
        "prepare_for_delivery": "ready_for_delivery",
        "prepare_to_pickup": "ready_to_pickup",
        "complete_pickup": "closed",
        "cancel_pickup": "canceled",
        "start_delivery": "on_delivery",
        "cancel_delivery": "canceled",
        "complete_delivery": "closed",
    }
)

#: Fields that this package fills in by itself, and why nobody else may.
_OURS: Mapping[str, str] = {
    "action": "it is an argument of its own",
    "validity": "it is set by the till's clock, so that a silent till can't act late; see valid_for",
    "idempotency-key": "Dotypos only echoes it, and carries an action out again that has the same",
    "webhook": "the result is returned here; to have it sent elsewhere, make the call with DotyposOperator",
}

#: The longest that an action may be valid for, in seconds.
LONGEST_VALIDITY = 3600.0

#: Characters that divide a filter or may escape the next one, so that no order would be found by them [U].
_NOT_IN_FILTERS = (",", ";", "|", "\\")


def find_action(name: object) -> PosAction:
    """Return an action by its name.

    :raises DotyposInputError: if there is none.
    """
    action = ACTIONS.get(name) if isinstance(name, str) else None
    if action is None:
        near = nearest(name, ACTIONS) if isinstance(name, str) else ""
        raise DotyposInputError(
            f"action must be a POS action, not {describe(name)}{near}. There are: {', '.join(ACTIONS)}"
        )
    return action


def checked_fields(action: PosAction, fields: object) -> dict[str, Any]:
    """Return an action's fields as they are sent: ids and numbers as numbers [D].

    :raises DotyposInputError: if some can't be; it names all that are wrong.
    """
    if not isinstance(fields, Mapping):
        raise DotyposInputError(f"fields must be a dict of the action's fields, not {_kind(fields)}")
    problems = [f"{name} can't be given: {_OURS[name]}" for name in fields if name in _OURS]
    given = {name: value for name, value in fields.items() if name not in _OURS}
    sent = _read(given, action.fields, "", problems)
    external_id = sent.get("external-id")
    if isinstance(external_id, str):
        if any(character in external_id for character in _NOT_IN_FILTERS):
            problems.append(
                "external-id must not hold , ; | or \\: orders are found by it, and a filter can't hold them"
            )
        elif external_id.strip().lower() in ("", "null", "none", "notnull"):
            problems.append(f"external-id must not be empty, null, None or notnull{_WHY_REQUIRED['external-id']}")
        elif external_id != external_id.strip():
            problems.append("external-id must not begin or end with a blank: orders are found by it, which may lack it")
    if problems:
        raise DotyposInputError(f"{action.name} can't be sent: {'; '.join(problems)}")
    return sent


def _read(given: Mapping[Any, Any], known: Mapping[str, Field], place: str, problems: list[str]) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    for name, value in given.items():
        field = known.get(name)
        if field is None:
            problems.append(f"{place}{name} isn't a field of it{nearest(str(name), known)}")
        elif value is None and not field.required:
            sent[name] = None
        else:
            sent[name] = _read_value(value, field.kind, f"{place}{name}", problems)
    problems += [
        f"{place}{name} is missing{_WHY_REQUIRED.get(name, '')}"
        for name, field in known.items()
        if field.required and name not in given
    ]
    return sent


_WHY_REQUIRED: Mapping[str, str] = {
    "external-id": ": it is what keeps a repeat from making a second order. Give the document's own number, or "
    "'{{ dag_run.run_id }}'",
}


def _read_value(value: Any, kind: str, place: str, problems: list[str]) -> Any:
    if kind in _PARTS:
        if not isinstance(value, (list, tuple)):
            problems.append(f"{place} must be a list of objects, not {_kind(value)}")
            return None
        return [_read_part(part, kind, f"{place}[{number}]", problems) for number, part in enumerate(value)]
    read, expected = _READERS[kind]
    try:
        return read(value)
    except (TypeError, ValueError, ArithmeticError):
        problems.append(f"{place} must be {expected}, not {_kind(value)}")
        return None


def _read_part(part: Any, kind: str, place: str, problems: list[str]) -> dict[str, Any] | None:
    if not isinstance(part, Mapping):
        problems.append(f"{place} must be an object, not {_kind(part)}")
        return None
    return _read(part, _PARTS[kind], f"{place}.", problems)


def _kind(value: Any) -> str:
    """Return what a value is, without what it holds: a note may be about a person."""
    return f"a value of type {type(value).__name__}"


def _id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdecimal()):
        raise ValueError
    return int(value)


def _number(value: Any) -> int | float:
    """Return a number as JSON has it: tills take real numbers [D]."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise TypeError
    number = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return [_text(item) for item in value]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return dict(value)


_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "id": (_id, "an id, a whole number"),
    "integer": (_id, "a whole number"),
    "number": (_number, "a number"),
    "text": (_text, "text"),
    "texts": (_texts, "a list of texts"),
    "flag": (_flag, "True or False"),
    "object": (_object, "an object, a dict"),
}
