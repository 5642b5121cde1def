"""Lines of the log of a task that extracts many lists at once: each names its list."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

#: The list that is extracted, where a task has many.
_list: ContextVar[str] = ContextVar("list", default="")

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class _ListLog(_Adapter):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        name = _list.get()
        return (f"{name}: {msg}" if name else msg), kwargs

    def detail(self, msg: str, *args: object) -> None:
        """Log a line that is worth reading of one list only: where a task has many, it goes to DEBUG."""
        self.log(logging.DEBUG if _list.get() else logging.INFO, msg, *args)


def list_log(name: str) -> _ListLog:
    """Return the log of a module, whose lines name the list of `speaking_of`."""
    return _ListLog(logging.getLogger(name), {})


@contextmanager
def speaking_of(name: str) -> Iterator[None]:
    """Have lines of the log begin with the name of a list."""
    token = _list.set(name)
    try:
        yield
    finally:
        _list.reset(token)
