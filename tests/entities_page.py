"""``make entities`` writes the reference's page of entities, from the entity table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.commands.entities import field_rows

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "entities.md"

HEAD = """\
# Entities

<!-- `make entities` writes this page from the entity table. Change the table, not the page. -->

An entity is a kind of row that the API has lists of, or a single object. Its name is the one in the API's paths.
`airflow dotypos entities` shows the same in a shell, and `airflow dotypos entities orders` the fields of one of them.

- **Ordered by** is the cursor: the time by which a window selects rows. *Halved* means that the API filters by it but
  can't sort by it, so one thread halves ranges until they fit. Without a cursor an entity is read whole, without the
  promise for rows that change meanwhile.
- **Deleted rows** are *marked* by the field `deleted`, or *not shown*: [how to find them](../guides/removed-rows.md).
- **Personal data** is what `personal_data=False` drops, beside fields that this table doesn't know. It counts the
  fields that name, reach, place or describe a person or a sole trader, and free text in which somebody may. References
  such as `_customerId` aren't counted: without the rows that they lead to they name nobody.

The table comes from the API's documentation, and nothing in it has been compared with a live cloud yet. The vendor may
add fields at any time. They are kept: see [Files](extraction.md#files).
"""

FIELDS = """\
| field | type | filter operators | sortable | personal data | refers to |
|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the page's text."""
    rows = entities().values()
    listed = [entity for entity in rows if entity.listed]
    objects = [entity for entity in rows if not entity.listed]
    return "\n".join([HEAD, *_overview(listed), "", *_single(objects), "", *(_section(row) for row in rows)])


def _overview(listed: list[Entity]) -> Iterator[str]:
    yield "| entity | ordered by | deleted rows | `include` | personal data |"
    yield "|---|---|---|---|---|"
    for entity in listed:
        order = ", ".join(f"`{name}`" for name in entity.cursors) or "nothing: read whole"
        deleted = "marked" if entity.deleted_filterable else "not documented" if entity.has_deleted else "not shown"
        children = ", ".join(f"`{name}`" for name in entity.includes)
        personal = sum(field.personal for field in entity.fields.values())
        yield _line(
            f"[`{entity.name}`](#{entity.name})",
            order + ("" if entity.cursor_sortable else " (halved)"),
            deleted,
            children,
            f"{personal} of {len(entity.fields)} fields" if personal else "",
        )


def _single(objects: list[Entity]) -> Iterator[str]:
    names = " and ".join(f"[`{entity.name}`](#{entity.name})" for entity in objects)
    yield f"{names} are single objects:"
    yield "read them with `DotyposOperator`. Stock movements, points logs and printers have no documented way to be"
    yield "read."


def _section(entity: Entity) -> str:
    facts = [f"[The vendor's page]({entity.docs})."]
    if entity.parent:
        facts.append(f"Lies below a {entity.parent.noun}: `{entity.parent.argument}`.")
    if entity.primary_key != ("id",) and entity.listed:
        facts.append(f"Primary key: {', '.join(f'`{name}`' for name in entity.primary_key)}.")
    if entity.unstable:
        facts.append("The vendor says that its fields may change.")
    fields = "\n".join(map(_field, field_rows(entity)))
    return f"## {entity.name}\n\n{' '.join(facts)}\n\n{FIELDS}{fields}\n"


def _field(row: dict[str, str]) -> str:
    return _line(
        f"`{row['field']}`",
        row["type"],
        row["operators"],
        row["sortable"],
        row["personal"] and f"**{row['personal']}**",
        row["references"] and f"[`{row['references']}`](#{row['references']})",
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


if __name__ == "__main__":
    PAGE.write_text(page())
