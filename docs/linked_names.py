"""Turns a name in code type, in any page or docstring, into a link to its place in the API reference.

A page for a forge can't link to what only the site has, and docstrings have single backticks for names of parameters
as well as of classes. So the name itself decides: if something public is called so, it is a link.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

logger = logging.getLogger(__name__)

#: Where a name in code type stays as it is.
_NO_LINK_IN = (nodes.reference, addnodes.pending_xref, addnodes.desc_signature, nodes.title)

#: A name that must be documented, if a page or a docstring mentions it.
_OURS = re.compile(r"Dotypos[A-Z]\w*(Error|Operator|Hook|Sensor|Policy|Trigger|Notifier)|dotypos_asset")


def link_names(app: Sphinx, document: nodes.document, page: str) -> None:
    """Link what names something public, and warn of what looks as if it did."""
    objects = app.env.domains.python_domain.objects
    places = _by_last_name(objects)
    for literal in list(document.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        if not re.fullmatch(r"[A-Za-z][\w.]*", name) or _is_within(literal, _NO_LINK_IN):
            continue
        full = _full_name(name, literal, objects, places)
        if full is None:
            if _OURS.fullmatch(name):
                logger.warning("%s is mentioned, and the API reference lacks it", name, location=literal)
            continue
        entry = objects[full]
        if page != entry.docname or entry.node_id not in _ids_around(literal):
            link = make_refnode(app.builder, page, entry.docname, entry.node_id, literal.deepcopy(), full)
            literal.replace_self(link)


def _full_name(
    name: str, literal: nodes.literal, objects: dict[str, ObjectEntry], places: dict[str, list[str]]
) -> str | None:
    """Return the full name of what a name means in its place."""
    for signature in _signatures_around(literal):
        own = signature.get("fullname", "")
        for scope in filter(None, (own, own.rpartition(".")[0])):
            if (full := f"{signature.get('module')}.{scope}.{name}") in objects:
                return full
    if name in objects:
        return name
    # A name may say where DAGs import the thing from: another module than the one that defines it.
    head, _, member = (name.rpartition(".")[2] if name.startswith("airflow_provider_dotypos.") else name).partition(".")
    homes = places.get(head, [])
    if len(homes) == 1 and (head != head.lower() or "_" in head):
        full = f"{homes[0]}.{member}" if member else homes[0]
        return full if full in objects else None
    return None


def _by_last_name(objects: dict[str, ObjectEntry]) -> dict[str, list[str]]:
    """Return the full names of classes, errors and functions, by their last parts."""
    places: dict[str, list[str]] = defaultdict(list)
    for full, entry in objects.items():
        if entry.objtype in ("class", "exception", "function") and not entry.aliased:
            places[full.rpartition(".")[2]].append(full)
    return places


def _around(node: nodes.Node) -> Iterator[nodes.Element]:
    """Yield the elements in which a node stands, the nearest first."""
    while node.parent is not None:
        node = node.parent
        yield node


def _is_within(node: nodes.Node, kinds: tuple[type[nodes.Element], ...]) -> bool:
    return any(isinstance(element, kinds) for element in _around(node))


def _signatures_around(node: nodes.Node) -> Iterator[addnodes.desc_signature]:
    """Yield the signatures of the classes and functions in whose descriptions a node stands."""
    for element in _around(node):
        if isinstance(element, addnodes.desc):
            yield from (child for child in element.children if isinstance(child, addnodes.desc_signature))


def _ids_around(node: nodes.Node) -> set[str]:
    return {name for signature in _signatures_around(node) for name in signature["ids"]}


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx call it for each page."""
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
