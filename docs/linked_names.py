"""Turns a name in code type, in any page or docstring, into a link to its place in the API reference.

A page for a forge can't link to what only the site has, and docstrings have single backticks for names of parameters
as well as of classes. So the name itself decides: if something public is called so, it is a link.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

logger = logging.getLogger(__name__)

#: Where a name in code type stays as it is.
_NO_LINK_IN = (nodes.reference, addnodes.pending_xref, addnodes.desc_signature, nodes.title)

#: A name that must be documented, if a page or a docstring mentions it.
_OURS = re.compile(r"Dotypos[A-Z]\w*(Error|Operator|Hook|Sensor|Policy|Trigger|Notifier)|dotypos_asset")


class LinkNames(SphinxPostTransform):
    """Link names in code type."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """Link what names something public, and warn of what looks as if it did."""
        objects = self.env.domains.python_domain.objects
        places = _by_last_name(objects)
        for literal in list(self.document.findall(nodes.literal)):
            name = literal.astext().removesuffix("()")
            if not re.fullmatch(r"[A-Za-z][\w.]*", name) or any(_inside(literal, kind) for kind in _NO_LINK_IN):
                continue
            full = self._full_name(name, literal, objects, places)
            if full:
                entry = objects[full]
                if not (self.env.docname == entry.docname and _is_within(literal, entry.node_id)):
                    link = make_refnode(
                        self.app.builder, self.env.docname, entry.docname, entry.node_id, literal.deepcopy(), full
                    )
                    literal.replace_self(link)
            elif _OURS.fullmatch(name):
                logger.warning("%s is mentioned, and the API reference lacks it", name, location=literal)

    def _full_name(
        self, name: str, literal: nodes.literal, objects: dict[str, ObjectEntry], places: dict[str, list[str]]
    ) -> str | None:
        """Return the full name of what a name means in its place."""
        around = literal.parent
        while around is not None:
            if isinstance(around, addnodes.desc):
                signature = next(iter(around.findall(addnodes.desc_signature)))
                kind = signature.get("fullname", "")
                for scope in (kind, kind.rpartition(".")[0]):
                    full = f"{signature.get('module')}.{scope}.{name}"
                    if scope and full in objects:
                        return full
            around = around.parent
        head, _, member = name.partition(".")
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


def _inside(node: nodes.Node, kind: type[nodes.Node]) -> bool:
    return _ancestor(node, lambda around: isinstance(around, kind))


def _is_within(node: nodes.Node, node_id: str) -> bool:
    """Return whether a node stands in the description of what has an id."""
    return _ancestor(
        node,
        lambda around: (
            isinstance(around, addnodes.desc)
            and any(
                node_id in signature["ids"] for signature in around.children if isinstance(signature, nodes.Element)
            )
        ),
    )


def _ancestor(node: nodes.Node, fits: Any) -> bool:
    around = node.parent
    while around is not None:
        if fits(around):
            return True
        around = around.parent
    return False


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
