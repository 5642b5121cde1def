"""Creating, changing and deleting rows (pages /api-reference/general/methods and /etags)."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.sandbox.api import lists, rules, wire
from airflow_provider_dotypos.sandbox.api.calls import answer, body_json, body_object, state_of
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.errors import RefusedError, Violation, invalid, not_found
from airflow_provider_dotypos.sandbox.shop.table import Row, blank

#: Fields that only the server sets. Bodies may name them, as clients send back what they read. They are ignored [A].
_SET_BY_SERVER = frozenset({"id", "_cloudId", "created", "modified", "modifiedBy", "version", "versionDate"})


async def write(request: Request, cloud_id: int, entity: Entity, id: int | None) -> Response:
    """Carry out POST, PUT, PATCH or DELETE on an entity that offers it."""
    writer = _Writer(state_of(request), cloud_id, entity)
    if_match = request.headers.get("if-match")
    if id is None:
        body = await body_json(request)
        if request.method == "PUT":
            return writer.put_all(body, if_match)
        return writer.create_all(body) if entity.writes.posts_array else writer.create_one(body)
    if request.method == "DELETE":  # If-Match is ignored for now [D2]; a body only matters on products
        options = await body_object(request) if entity.name == "products" and await request.body() else {}
        return writer.delete(id, options)
    body = await body_json(request)
    return writer.put(id, body, if_match) if request.method == "PUT" else writer.patch(id, body, if_match)


class _Writer:
    """Writes to one entity of one cloud. Every call is carried out whole or not at all."""

    def __init__(self, state: State, cloud_id: int, entity: Entity) -> None:
        self.shop, self.behaviour = state.shop, state.behaviour
        self.cloud_id, self.entity = cloud_id, entity
        self.table = self.shop.table(cloud_id, entity.name)

    def create_all(self, body: Any) -> Response:
        """POST of an array: the answer is an array in the same order [D], without an ETag [D]."""
        with self.shop.lock:
            rows = self._read_all(body, creating=True)
            stored = [self.shop.insert(self.cloud_id, self.entity.name, row) for row in rows]
            return answer(lists.array(map(self._encoded, stored)), 201)

    def create_one(self, body: Any) -> Response:
        """POST of one object: portions, customer accounts, webhooks [D2]."""
        with self.shop.lock:
            row = self._read(self._object(body), creating=True)
            stored = self.shop.insert(self.cloud_id, self.entity.name, row)
            return answer(self._encoded(stored), 201)

    def put_all(self, body: Any, if_match: str | None) -> Response:
        """PUT of an array: replace or create rows. The ETag is that of the list of the present ones [D]."""
        with self.shop.lock:
            ids = [self._id(row) for row in self._array(body)]
            if len(set(ids)) < len(ids):
                raise invalid("id", "must not occur twice")
            present = [row for row in map(self._present, ids) if row is not None]
            if present:
                self._check_tag(if_match, lists.list_etag(map(self._encoded, present)))
            rows = self._read_all(body, creating=False)
            stored = [self._replace(id, row) for id, row in zip(ids, rows, strict=True)]
            bodies = [self._encoded(row) for row in stored]
            return answer(lists.array(bodies), headers={"ETag": lists.list_etag(bodies)})

    def put(self, id: int, body: Any, if_match: str | None) -> Response:
        """PUT of one row: replace it, or create it with this id. If-Match doesn't matter for a new row [D2, C1]."""
        with self.shop.lock:
            present = self._present(id)
            if present is not None:
                self._check_tag(if_match, self._tag(present))
            row = self._read(self._object_at(id, body), creating=False)
            return self._one(self._replace(id, row), 200 if present is not None else 201)

    def patch(self, id: int, body: Any, if_match: str | None) -> Response:
        """PATCH of one row: change the fields that the body names, and leave the others."""
        with self.shop.lock:
            present = self._required(id)
            self._check_tag(if_match, self._tag(present))
            changes = self._read(self._object_at(id, body), creating=False, merging=True)
            return self._one(self.shop.update(self.cloud_id, self.entity.name, id, changes))

    def delete(self, id: int, options: Row) -> Response:
        """DELETE: mark the row as deleted, and return it [D2]. Rows that can't be marked are removed [U].

        :param options: the request's body: what happens to the ingredients of a product.
        """
        with self.shop.lock:
            present = self._required(id)
            rules.check_delete(self.shop, self.cloud_id, self.entity.name, present, options)
            if not present.get("deleted"):
                present = self.shop.delete(self.cloud_id, self.entity.name, id)
            return answer(wire.encode_row(present, self.behaviour))

    def _replace(self, id: int, row: Row) -> Row:
        """Store what a create with the same body would store. Only fields that the server sets are kept [D]."""
        if self._present(id) is None:
            return self.shop.insert(self.cloud_id, self.entity.name, row | {"id": id})
        empty = blank(self.entity, self.cloud_id, self.shop.currency(self.cloud_id), self.shop.now())
        whole = {name: value for name, value in (empty | row).items() if name not in _SET_BY_SERVER}
        return self.shop.update(self.cloud_id, self.entity.name, id, whole)

    def _one(self, row: Row, status: int = 200) -> Response:
        return answer(self._encoded(row), status, {"ETag": self._tag(row)})

    def _present(self, id: int) -> Row | None:
        return self.shop.get(self.cloud_id, self.entity.name, id)

    def _required(self, id: int) -> Row:
        present = self._present(id)
        if present is None:
            raise not_found(f"{self.entity.name} {id}")
        return present

    def _encoded(self, row: Row) -> bytes:
        return wire.encode_stored(self.table, row, self.behaviour)

    def _tag(self, row: Row) -> str:
        return lists.row_etag(self._encoded(row))

    def _check_tag(self, given: str | None, tag: str) -> None:
        """Compare If-Match, with or without its quotes [C4, A]. ``*`` doesn't match [U]."""
        if given is None:
            raise RefusedError(428, "PRECONDITION_REQUIRED", "If-Match is required")
        if given.strip('"') != tag.strip('"'):
            raise RefusedError(412, "PRECONDITION_FAILED", "If-Match does not match what is stored")

    def _array(self, body: Any) -> list[Any]:
        if not isinstance(body, list):
            raise invalid(None, "the body must be an array")
        limit = self.entity.writes.batch_limit
        if not 1 <= len(body) <= limit:
            raise invalid(None, f"the array must have 1 to {limit} entries")
        return [self._object(row) for row in body]

    def _object(self, body: Any) -> Row:
        if not isinstance(body, dict):
            raise invalid(None, "must be an object")
        return body

    def _object_at(self, id: int, body: Any) -> Row:
        """Return a body with the id of its path. Another id in it is refused [A]."""
        row = self._object(body)
        if "id" in row and self._id(row) != id:
            raise invalid("id", "must be the id of the path")
        return row | {"id": id}

    def _id(self, body: Row) -> int:
        try:
            number = wire.read_json(body.get("id"), "long")
        except ValueError as error:
            raise invalid("id", str(error)) from None
        if number is None:
            raise invalid("id", "must not be null")
        return int(number)

    def _read_all(self, body: Any, *, creating: bool) -> list[Row]:
        rows: list[Row] = []
        violations: list[Violation] = []
        for number, entry in enumerate(self._array(body)):
            try:
                rows.append(self._read(entry, creating=creating))
            except RefusedError as refusal:
                if refusal.status != 400:
                    raise
                violations += [(f"[{number}].{name}" if name else None, text) for name, text in refusal.violations]
        if violations:
            raise RefusedError(400, violations=violations)
        rules.check_together(self.entity.name, rows)
        return rows

    def _read(self, body: Row, *, creating: bool, merging: bool = False) -> Row:
        """Return the fields of a body, read and checked.

        :param creating: whether the server assigns the id.
        :param merging: whether the body changes a present row. Otherwise it must name every mandatory field.
        :raises RefusedError: if there are violations (400 with them all) or a conflict (409).
        """
        violations: list[Violation] = []
        row: Row = {}
        for name, value in body.items():
            field = self.entity.fields.get(name)
            if field is None:
                violations.append((name, "unknown field"))  # stricter than the real API may be [A]
                continue
            try:
                row[name] = wire.read_json(value, field.type)
            except ValueError as error:
                violations.append((name, str(error)))
                continue
            if value is None and not field.nullable and not (name == "id" and creating):
                violations.append((name, "must not be null"))
        if creating and row.get("id") is not None:
            violations.append(("id", "must not be given: the server assigns it"))  # [D]
        if not merging:
            violations += [
                (field.name, "must not be null")
                for field in self.entity.fields.values()
                if field.required and field.name not in body
            ]
        if row.get("_cloudId") not in (None, self.cloud_id):
            violations.append(("_cloudId", "must be the cloud of the path"))
        if violations:
            raise RefusedError(400, violations=violations)
        present = self._present(row["id"]) if row.get("id") is not None else None
        if present is not None:
            self._check_version(row, present)
        given = {name: value for name, value in row.items() if name not in _SET_BY_SERVER}
        rules.complete(self.entity.name, given, present or {})
        whole = (present or {}) | given if merging else given
        rules.check(rules.Change(self.shop, self.cloud_id, self.entity, row.get("id"), whole, given))
        return given

    def _check_version(self, row: Row, present: Row) -> None:
        """Refuse to change another state of the row than the stored one: 409 [D2]."""
        if row.get("versionDate") is None or present.get("versionDate") is None:
            return
        step = 1000 if self.behaviour.timestamp_precision == "s" else 1
        if row["versionDate"] // step != present["versionDate"] // step:
            raise RefusedError(409, "VERSION_DATE_MISMATCH", "The row was changed meanwhile")
