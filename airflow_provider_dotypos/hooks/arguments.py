"""What an operator's constructor can check of its arguments: those that hold no template."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import PosixPath, WindowsPath
from typing import Any

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import describe, is_absent, read_given_cloud_id

#: How templates begin, unless a DAG chooses other marks.
_TEMPLATES = ("{{", "{%", "{#")

#: What rendering leaves as it is. Other objects may be results of tasks, functions, or iterators that can be read once.
_PLAIN = (int, float, Decimal, date, timedelta, type(None))

#: Not their subclasses: an ObjectStoragePath, which is rendered, may be one.
_PATHS = (PosixPath, WindowsPath)


def literals(operator: Any) -> dict[str, Any]:
    """Return those of an operator's attributes that its task will see unchanged, unless a cluster policy sets them."""
    dag = operator.dag if operator.has_dag() else None
    if getattr(dag, "jinja_environment_kwargs", None):
        return {}
    native = getattr(operator, "render_template_as_native_obj", None)
    if native is None:
        native = getattr(dag, "render_template_as_native_obj", False)
    files = tuple(operator.template_ext)
    return {
        name: value
        for name, value in vars(operator).items()
        if name not in operator.template_fields or _is_literal(value, files, native)
    }


def _is_literal(value: object, files: tuple[str, ...], native: bool) -> bool:
    """Return whether rendering a value gives the same value.

    :param files: how the names of template files end.
    :param native: whether text that looks like a Python value becomes that value.
    """
    if isinstance(value, str) or type(value) in _PATHS:
        text = str(value)
        return not (any(mark in text for mark in _TEMPLATES) or text.endswith(files) or (native and _is_python(text)))
    if isinstance(value, Mapping):
        return all(_is_literal(item, files, native) for item in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_literal(item, files, native) for item in value)
    return isinstance(value, _PLAIN)


def _is_python(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def check_connection(arguments: Mapping[str, Any]) -> None:
    """Raise if the connection or the cloud that an operator names can't be one, as far as they are among `arguments`.

    :raises DotyposInputError: if one can't.
    """
    if "dotypos_conn_id" in arguments:
        check_conn_id(arguments["dotypos_conn_id"])
    if arguments.get("cloud_id") not in (None, ""):
        read_given_cloud_id(arguments["cloud_id"])


def check_conn_id(conn_id: object, argument: str = "dotypos_conn_id") -> None:
    """Raise if a value can't be the id of a connection.

    :param argument: what the caller's argument is called.
    :raises DotyposInputError: if it can't.
    """
    if not isinstance(conn_id, str) or not conn_id.strip():
        # It may be the connection itself, whose representation holds its secrets.
        raise DotyposInputError(f"{argument} must be the id of an Airflow connection, not {describe(conn_id)}")


def given(operator: Any, names: Iterable[str]) -> frozenset[str]:
    """Return which of an operator's arguments the DAG gives, as its constructor sees them."""
    return frozenset(name for name in names if getattr(operator, name) is not None)


def refuse_empty(operator: Any, names: Iterable[str], given: Collection[str]) -> None:
    """Raise if an argument was given, and is empty: a template that rendered to nothing must not mean the default.

    Also if it is null now: so renders the result of a task that returned none, and a template to native objects.

    :param names: the arguments.
    :param given: those that the DAG gives.
    :raises DotyposInputError: if there is one.
    """
    for name in names:
        value = getattr(operator, name)
        if is_absent(value) and (value is not None or name in given):
            raise DotyposInputError(f"{name} is empty: its template rendered to nothing. Omit it, or give a value")


@contextmanager
def argument_errors(operator: Any) -> Iterator[None]:
    """Raise a bad argument's error so that it ends what is under way: the parsing of a DAG, or a mapped task.

    Airflow calls a mapped operator's constructor when its task runs, and would try that again after any other error.
    """
    try:
        yield
    except DotyposInputError as error:
        if not getattr(operator, "_BaseOperator__from_mapped", False):
            raise
        from airflow_provider_dotypos import _compat

        raise _compat.fail_exception()(str(error)) from None
