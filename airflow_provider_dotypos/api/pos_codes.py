"""The result codes of POS actions: what each means, and what to do. HTTP's status is 200 with all of them [D].

https://docs.api.dotypos.com/pos-actions/
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple


class Means(Enum):
    """What a result code says of the action."""

    DONE = auto()  #: It was carried out.
    REFUSED = auto()  #: It wasn't, and won't be if it is sent again.
    PASSES = auto()  #: It wasn't; the reason passes by itself.
    EXPIRED = auto()  #: It wasn't: it reached the till too late.
    PARTLY = auto()  #: A part of it was carried out.
    UNSURE = auto()  #: It may have been.


class Code(NamedTuple):
    """A result code.

    :param meaning: as a clause.
    :param cure: what to do, as a sentence; empty where that is obvious.
    """

    meaning: str
    means: Means = Means.REFUSED
    cure: str = ""


_LOOK_AT_ORDER = "Look at the order at the till."
_SK_PRINT = "Print the earlier document first: order/sk/print-last-document."

#: By number [D2].
CODES: Mapping[int, Code] = MappingProxyType(
    {
        0: Code("done", Means.DONE),
        # These two are ``resultCode`` of order/sk/print-last-document.
        1: Code("only tills in Slovakia have such documents"),
        2: Code("there is no document to print"),
        100: Code("another error", Means.UNSURE, _LOOK_AT_ORDER),
        1001: Code("the request is wrong"),
        1002: Code("the till's configuration does not allow the action", cure="Change the till's settings."),
        1003: Code("the action is missing"),
        1004: Code("the till does not know the action", cure="Update Dotypos on the till."),
        1005: Code("a field has the wrong form"),
        1006: Code("the licence is too low for the action", cure="Upgrade the cloud's Dotypos licence."),
        1007: Code(
            "the action reached the till after its validity",
            Means.EXPIRED,
            "The till was slow to get it. Give it longer with valid_for, or check the till's network and clock.",
        ),
        1008: Code("there is no such employee", cure="Check user-id."),
        1009: Code("the action is not allowed in the till's country"),
        1010: Code("the till knows no such customer", cure="Check customer-id."),
        1011: Code("there is no such table", cure="Check table-id."),
        1999: Code("an error of the server", Means.UNSURE, _LOOK_AT_ORDER),
        2001: Code(
            "the order is locked by somebody else", Means.PASSES, "A lock lasts 45 seconds or until it is given up."
        ),
        2002: Code("there is no such order at the till", cure="Check order-id, and the branch."),
        2003: Code(
            "there is no such payment method",
            Means.PARTLY,
            "Check payment-method-id. An order that the action had to make is made, and stays open at the till: issue "
            "and pay it there or by order/issue-and-pay, or cancel it.",
        ),
        2004: Code("the order is already paid", cure=_LOOK_AT_ORDER),
        2005: Code("the order is already issued", cure="If it isn't paid yet, pay it by order/pay."),
        2006: Code("the order is not issued yet", cure="Issue it first: order/issue, or order/issue-and-pay."),
        2007: Code("the e-mail address is not valid for this kind of print (Slovakia)", cure="Check print-email."),
        2008: Code("the kind of print is not allowed (Slovakia)", cure="Check print-type."),
        2009: Code("the order is not empty", cure="Only an order without items can be cancelled."),
        2010: Code("the order is already cancelled"),
        2011: Code("the order belongs to EOS and can't be changed here"),
        2012: Code("the number of guests is not valid", cure="guest-count must be 1 or more."),
        2013: Code("there are no items to split off", cure="Check split-items."),
        2014: Code(
            "the lock of the order has expired", cure="Lock the order again, and repeat what followed the lock."
        ),
        2015: Code("the till has 500 open orders, which is the most", Means.PASSES, "Close some at the till."),
        2999: Code("the order does not allow it", cure="See the till's message."),
        3001: Code("the register is closed", Means.PASSES, "Open it at the till."),
        4001: Code("there is no such product", cure="Check the ids of items."),
        5001: Code("there is no such order item", cure="Check the ids of the order's items."),
        5002: Code("the quantity of the item is too low"),
        5003: Code("the quantity of an item is negative"),
        6001: Code("the till does not know the status transition", cure="Check status-transition, or update the till."),
        6002: Code("the order's status does not allow the transition", cure=_LOOK_AT_ORDER),
        7001: Code("the product's course can't be changed"),
        7002: Code("the item is already prepared"),
        8001: Code("take-away is not enabled at the till"),
        8002: Code("the product can't be taken away"),
        8003: Code("the order can't be taken away"),
        8004: Code("the order has no items to take away"),
        10001: Code("there is no such customization", cure="Check product-customization-id."),
        10002: Code("there is no such category of customizations"),
        10003: Code("there is no such product for a customization"),
        10004: Code("the product does not belong to the customization"),
        10005: Code("the quantity of a customization is out of its bounds"),
        70302001: Code("an earlier document was not printed (Slovakia)", cure=_SK_PRINT),
        70302002: Code("the document was issued, and its fiscalization failed (Slovakia)", Means.PARTLY, _SK_PRINT),
    }
)

#: Of a code that isn't in the table.
_UNKNOWN = Code("a code that this version does not know", Means.UNSURE, _LOOK_AT_ORDER)


def code_of(number: int) -> Code:
    """Return what a result code means."""
    return CODES.get(number, _UNKNOWN)
