"""The pages of the API reference: which public names stand on which page.

A name stands where DAG authors import it from. What the package itself exports (``__all__``) has that short name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from airflow_provider_dotypos.provider_info import provider_info

PACKAGE = "airflow_provider_dotypos"


@dataclass(frozen=True)
class ApiPage:
    """A page of the API reference.

    :param title: its heading.
    :param about: what stands below the heading, in reStructuredText.
    :param names: what it documents, below the package. A name that ends with ``.*`` stands for a module's ``__all__``,
        ``@operators`` for the classes in the modules that Airflow's metadata of this provider lists as its operators.
    """

    title: str
    about: str
    names: tuple[str, ...]


PAGES = {
    "transfers": ApiPage(
        "Transfers",
        "Operators that bring whole entities into files or tables. The page :doc:`parameters </reference/parameters>` "
        "has the same parameters as tables, and what a task returns.",
        ("@transfers",),
    ),
    "operators": ApiPage(
        "Operators",
        "Operators that call the API, write back, and check what is there.",
        ("@operators",),
    ),
    "events": ApiPage(
        "Assets, sensor and trigger",
        "What starts a DAG, or lets a task wait, when rows change in Dotypos.",
        (
            "assets.dotypos_asset",
            "assets.create_asset",
            "assets.changed_window",
            "webhooks.queued.queued_change",
            "sensors.dotypos.DotyposEntitySensor",
            "triggers.entity_event.DotyposEntityEventTrigger",
        ),
    ),
    "notifications": ApiPage(
        "Notifications",
        "A message about a failed task that is worth reading at night. The guide :doc:`on call </guides/on-call>` "
        "shows how to use it.",
        ("@notifications", "notifications.failure.failure_message", "notifications.failure.failure_subject"),
    ),
    "hook": ApiPage(
        "Hook",
        "Calls from a task of your own, and the client on an event loop.",
        (
            "hooks.dotypos.DotyposHook",
            "hooks.webhooks.Webhooks",
            "api.retry.Patience",
            "api.aclient.AsyncDotyposClient",
            "retry_policies.DotyposRetryPolicy",
        ),
    ),
    "sets": ApiPage(
        "Committed sets",
        "Reading what extractions have written as files.",
        (
            "lake.current.read_entity",
            "lake.current.CurrentTable",
            "transfers.manifest.read_manifest",
            "transfers.manifest.CommittedSet",
            "transfers.manifest.*",
            "transfers.files.manifest.SetReference",
            "transfers.files.manifest.Rewriting",
            "transfers.snapshots.*",
        ),
    ),
    "sources": ApiPage(
        "Sources",
        "Where the rows of a plan come from.",
        ("writes.sources.Sql",),
    ),
    "exceptions": ApiPage(
        "Exceptions",
        "Every error that a DAG author can catch. The page :doc:`errors </reference/errors>` says what to do about "
        "each.",
        ("exceptions.*",),
    ),
    "sandbox": ApiPage(
        "Sandbox",
        "A Dotypos API on this machine. The page :doc:`sandbox </reference/sandbox>` has its switches, and how to use "
        "it from pytest.",
        ("sandbox.*", "sandbox.pytest_plugin.dotypos_sandbox", "sandbox.pytest_plugin.dotypos_connection"),
    ),
    "extending": ApiPage(
        "Extending",
        "For operators of your own: the base of transfers, what a destination must be able to do, the entities of the "
        "API, and the form that connects a cloud.",
        (
            "transfers.base.DotyposTransferOperator",
            "transfers.entities.DotyposEntitiesTransferOperator",
            "transfers.sink.Sink",
            "transfers.sink.PartWriter",
            "transfers.sink.Range",
            "transfers.sink.Walked",
            "transfers.sink.SupersededError",
            "api.entities.Entity",
            "api.entities.Field",
            "api.entities.Child",
            "api.entities.Parent",
            "api.entities.Writes",
            "api.entities.entities",
            "api.entities.find_entity",
            "api.entities.find_list",
            "api.entities.cloud_lists",
            "api.connector.connector",
            "api.connector.connector_form",
            "api.connector.connector_link",
            "api.connector.connector_signature",
        ),
    ),
}


#: Classes that inherit methods from parts that aren't public.
_OWN_MEMBERS_ONLY = {"AsyncDotyposClient"}

#: What constants are. Their values have the docstrings of their types.
_CONSTANTS = {"FORMAT_VERSION": "The newest format of manifests. Earlier ones are read as well."}

#: Classes that a function makes: their constructors are nobody's.
MADE_BY_FUNCTIONS = {"CurrentTable"}

#: Classes whose methods only this package calls.
_NO_MEMBERS = {"Sql"}


def names_of(page: ApiPage) -> Iterator[str]:
    """Yield the full names that a page documents."""
    short = short_names()
    errors = {id(thing) for thing in vars(import_module(f"{PACKAGE}.exceptions")).values()}
    for name in page.names:
        if name.startswith("@"):
            names = [f"{module}.{thing}" for module in modules_of(name[1:]) for thing in classes_of(module)]
        elif name.endswith(".*"):
            module = f"{PACKAGE}.{name[:-2]}"
            names = [f"{module}.{last}" for last in import_module(module).__all__]
        else:
            names = [f"{PACKAGE}.{name}"]
        for full in names:
            home, last = full.rsplit(".", 1)
            thing = getattr(import_module(home), last)
            if id(thing) in errors and page is not PAGES["exceptions"]:
                continue  # modules hand on errors that their functions raise
            yield short.get(id(thing), full)


def modules_of(room: str) -> list[str]:
    """Return the modules of a room that Airflow's metadata of this provider lists."""
    entries = provider_info().get(room, ())
    modules = []
    for entry in entries:
        if isinstance(entry, str):
            modules.append(entry.rpartition(".")[0])
        else:
            modules += entry.get("python-modules") or [entry["python-module"]]
    return list(dict.fromkeys(modules))


def classes_of(module: str) -> list[str]:
    """Return the names of the public classes that a module defines."""
    things = vars(import_module(module)).items()
    return [name for name, thing in things if isinstance(thing, type) and thing.__module__ == module and name[0] != "_"]


def short_names() -> dict[int, str]:
    """Return the package's short names, by the identity of what they name."""
    package = import_module(PACKAGE)
    names = [name for name in getattr(package, "__all__", ()) if name[0] != "_" and name != "get_provider_info"]
    return {id(getattr(package, name)): f"{PACKAGE}.{name}" for name in names}


def public_names() -> set[str]:
    """Return every public name that the API reference must have."""
    return {*short_names().values(), *(name for page in PAGES.values() for name in names_of(page))}


def text_of(page: ApiPage) -> str:
    """Return a page as reStructuredText."""
    lines = [page.title, "=" * len(page.title), "", page.about, ""]
    for name in dict.fromkeys(names_of(page)):
        home, last = name.rsplit(".", 1)
        lines += [*directive(name, getattr(import_module(home), last)), ""]
    return "\n".join(lines)


def directive(name: str, thing: Any) -> list[str]:
    """Return the directive that documents an object by its docstring."""
    if not callable(thing):
        return [f".. py:data:: {name}", f"   :value: {thing!r}", "", f"   {_CONSTANTS[name.rpartition('.')[2]]}"]
    if not isinstance(thing, type):
        return [f".. autofunction:: {name}"]
    if issubclass(thing, BaseException):
        return [f".. autoexception:: {name}", "   :members:", "   :show-inheritance:"]
    if is_operator(thing) or thing.__name__ in _NO_MEMBERS:
        # Airflow or a plan calls their methods; people give parameters.
        return [f".. autoclass:: {name}"]
    inherited = [] if thing.__name__ in _OWN_MEMBERS_ONLY else [f"   :inherited-members: {ends_at(thing)}"]
    call = "()" if thing.__name__ in MADE_BY_FUNCTIONS else ""
    return [f".. autoclass:: {name}{call}", "   :members:", *inherited]


def is_operator(thing: type) -> bool:
    """Return whether Airflow alone calls a class's methods: an operator, a sensor, a trigger, a notifier."""
    theirs = {"BaseOperator", "BaseSensorOperator", "BaseEventTrigger", "BaseNotifier"}
    return bool(theirs & {base.__name__ for base in thing.__mro__})


def ends_at(thing: type) -> str:
    """Return the ancestors of a class that aren't this package's: their members aren't ours to document."""
    return ", ".join(base.__name__ for base in thing.__mro__ if not base.__module__.startswith(PACKAGE))


def members_of(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class's documentation shows, with their names."""
    if is_operator(thing) or thing.__name__ in _NO_MEMBERS:
        return
    for base in (thing,) if thing.__name__ in _OWN_MEMBERS_ONLY else thing.__mro__:
        if base.__module__.startswith(PACKAGE):
            for name, member in vars(base).items():
                function = getattr(member, "__func__", member)
                if name[0] != "_" and (inspect.isfunction(function) or isinstance(member, property)):
                    yield name, member
