"""Creating, changing and deleting rows (pages /api-reference/general/methods and /etags)."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.sandbox.api import lists, rules, wire
from airflow_provider_dotypos.sandbox.api.calls import answer, body_json, body_object, log_write, state_of
from airflow_provider_dotypos.sandbox.errors import RefusedError, Violation, invalid, not_found
from airflow_provider_dotypos.sandbox.shop.table import Row, blank

#: Those of them that no body changes, whatever `Behaviour.read_only_fields` says.
_NEVER_TAKEN = frozenset({"id", "_cloudId", "versionDate"})


async def write(request: Request, cloud_id: int, entity: Entity, id: int | None) -> Response:
    """Carry out POST, PUT, PATCH or DELETE on an entity that offers it."""
    writer = _Writer(request, cloud_id, entity)
    if id is None:
        body = await body_json(request)
        if request.method == "PUT":
            return writer.put_all(body)
        return writer.create_all(body) if entity.writes.posts_array else writer.create_one(body)
    if request.method == "DELETE":  # a body only matters on products, a query on customers
        options = await body_object(request) if entity.name == "products" and await request.body() else {}
        return writer.delete(id, options, anonymous=_anonymous(request, entity))
    body = await body_json(request)
    return writer.put(id, body) if request.method == "PUT" else writer.patch(id, body)


def _anonymous(request: Request, entity: Entity) -> bool:
    """Return whether a DELETE asks for a customer's personal data to be blanked, by ``?anonymize=true`` [D2]."""
    wish = request.query_params.get("anonymize", "false")
    if wish not in ("true", "false"):
        raise invalid("anonymize", "must be true or false")
    if wish == "true" and entity.name != "customers":
        raise invalid("anonymize", "is for customers")
    return wish == "true"


class _Writer:
    """Writes to one entity of one cloud. Every call is carried out whole or not at all, unless a switch says else."""

    def __init__(self, request: Request, cloud_id: int, entity: Entity) -> None:
        self.request, self.state = request, state_of(request)
        self.shop, self.behaviour = self.state.shop, self.state.behaviour
        self.cloud_id, self.entity = cloud_id, entity
        self.table = self.shop.table(cloud_id, entity.name)
        self.if_match = request.headers.get("if-match")

    def create_all(self, body: Any) -> Response:
        """POST of an array: the answer is an array in the same order [D], without an ETag [D]."""
        with self.shop.lock:
            rows, refusal = self._read_all(body, creating=True)
            stored = [self._insert(row) for row in rows]
            if refusal is not None:
                raise refusal
            return answer(lists.array(map(self._encoded, stored)), 201)

    def create_one(self, body: Any) -> Response:
        """POST of one object: portions, customer accounts, webhooks [D2]."""
        with self.shop.lock:
            row = self._read(self._object(body), creating=True)
            return answer(self._encoded(self._insert(row)), 201)

    def put_all(self, body: Any) -> Response:
        """PUT of an array: replace or create rows. The ETag is that of the list of the present ones [D]."""
        with self.shop.lock:
            ids = [self._id(row) for row in self._array(body)]
            if len(set(ids)) < len(ids):
                raise invalid("id", "must not occur twice")
            present = [row for row in map(self._present, ids) if row is not None]
            if present or self.behaviour.list_creates == "guarded":
                self._check_tag(lists.list_etag(map(self._tag, present)))
            if len(present) < len(ids):
                self._check_own_ids()
            rows, refusal = self._read_all(body, creating=False)
            stored = [self._replace(id, row) for id, row in zip(ids, rows, strict=False)]
            if refusal is not None:
                raise refusal
            headers = {"ETag": lists.list_etag(map(self._tag, stored))}
            return answer(lists.array(map(self._encoded, stored)), headers=headers)

    def put(self, id: int, body: Any) -> Response:
        """PUT of one row: replace it, or create it with this id. If-Match doesn't matter for a new row [D2, C1]."""
        with self.shop.lock:
            present = self._present(id)
            if present is not None:
                self._check_tag(self._tag(present))
            else:
                self._check_own_ids()
            row = self._read(self._object_at(id, body), creating=False)
            return self._one(self._replace(id, row), 200 if present is not None else 201)

    def patch(self, id: int, body: Any) -> Response:
        """PATCH of one row: change the fields that the body names, and leave the others."""
        with self.shop.lock:
            present = self._required(id)
            self._check_tag(self._tag(present))
            changes = self._read(self._object_at(id, body), creating=False, merging=True)
            return self._one(self._update(id, changes))

    def delete(self, id: int, options: Row, *, anonymous: bool) -> Response:
        """DELETE: mark the row as deleted, and return it [D2]. Rows that can't be marked are removed [U].

        Nothing happens to a row that is deleted already, so its personal data stay, too.

        :param options: the request's body: what happens to the ingredients of a product.
        :param anonymous: whether its personal data become blank, too.
        """
        with self.shop.lock:
            present = self._required(id)
            wanted = self.behaviour.delete_if_match  # ignored for now [D2]
            if wanted == "required" or (wanted == "checked" and self.if_match is not None):
                self._check_tag(self._tag(present))
            rules.check_delete(self.shop, self.cloud_id, self.entity.name, present, options)
            if not present.get("deleted"):
                blanks = _blanks(self.entity) if anonymous else {}
                present = self._deleted(id, blanks)
                self._log("delete", id, blanks)
            return answer(wire.encode_row(present, self.behaviour))

    def _insert(self, row: Row) -> Row:
        stored = self.shop.insert(self.cloud_id, self.entity.name, row)
        self._log("create", stored["id"], row)
        return stored

    def _update(self, id: int, changes: Row) -> Row:
        stored = self.shop.update(self.cloud_id, self.entity.name, id, changes)
        self._log("update", id, changes)
        return stored

    def _deleted(self, id: int, blanks: Row) -> Row:
        if blanks:
            return self.shop.update(self.cloud_id, self.entity.name, id, blanks | {"deleted": True})
        return self.shop.delete(self.cloud_id, self.entity.name, id)

    def _log(self, op: str, id: int, fields: Row) -> None:
        log_write(self.request, op, self.entity.name, id, fields)

    def _replace(self, id: int, row: Row) -> Row:
        """Store what a create with the same body would store. Only fields that the server sets are kept [D]."""
        present = self._present(id)
        if present is None:
            return self._insert(row | {"id": id})
        empty = blank(self.entity, self.cloud_id, self.shop.currency(self.cloud_id), self.shop.now())
        whole = {name: value for name, value in empty.items() if name not in lists.SET_BY_SERVER}
        if self.behaviour.unknown_fields == "taken":
            whole |= dict.fromkeys(present.keys() - self.entity.fields.keys())
        if self.behaviour.undelete != "applied" and self.entity.has_deleted:
            whole["deleted"] = present["deleted"]
        return self._update(id, whole | row)

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
        return lists.row_etag(self.table, row, self.behaviour)

    def _check_tag(self, tag: str) -> None:
        """Compare If-Match, with or without its quotes [C4, A]. Whether ``*`` matches is a switch [U]."""
        if self.if_match is None:
            raise RefusedError(428, "PRECONDITION_REQUIRED", "If-Match is required")
        if self.if_match == "*" and self.behaviour.if_match_star == "match":
            return
        if self.if_match.strip('"') != tag.strip('"'):
            raise RefusedError(412, "PRECONDITION_FAILED", "If-Match does not match what is stored")

    def _check_own_ids(self) -> None:
        """Refuse a PUT to an id that no row has, where a switch says so [U]."""
        if self.behaviour.own_ids == "refused":
            raise invalid("id", "must be that of a row: the server assigns ids")
        if self.behaviour.own_ids == "unknown":
            raise not_found(self.entity.name)

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

    def _read_all(self, body: Any, *, creating: bool) -> tuple[list[Row], RefusedError | None]:
        """Return the rows of an array that are to be stored, and the refusal to answer with, if there is one.

        :raises RefusedError: if none is to be stored.
        """
        rows: list[Row] = []
        violations: list[Violation] = []
        sound = 0  # how many rows come before the first that is refused
        for number, entry in enumerate(self._array(body)):
            try:
                rows.append(self._read(entry, creating=creating))
                sound += not violations
            except RefusedError as refusal:
                if refusal.status != 400:
                    raise
                violations += [(self._place(number, name), text) for name, text in refusal.violations]
        rules.check_together(self.entity.name, rows, self.behaviour)
        if not violations:
            return rows, None
        whole_refusal = RefusedError(400, violations=violations)
        if self.behaviour.refused_lists == "whole":
            raise whole_refusal
        return rows[:sound], whole_refusal

    def _place(self, number: int, name: str | None) -> str | None:
        """Return how a violation names a field of a row of a list: a switch [U]."""
        return f"[{number}].{name}" if name and self.behaviour.violation_paths != "bare" else name

    def _read(self, body: Row, *, creating: bool, merging: bool = False) -> Row:
        """Return the fields of a body, read and checked.

        :param creating: whether the server assigns the id.
        :param merging: whether the body changes a present row. Otherwise it must name every mandatory field.
        :raises RefusedError: if there are violations (400 with them all) or a conflict (409).
        """
        row, violations = self._values(body)
        if creating and row.get("id") is not None:
            violations.append(("id", "must not be given: the server assigns it"))  # [D]
        elif not creating and "id" in row and row["id"] is None:
            violations.append(("id", "must not be null"))
        if not merging:
            violations += [
                (field.name, "must not be null")
                for field in self.entity.fields.values()
                if field.required and field.name not in body
            ]
        if row.get("_cloudId") not in (None, self.cloud_id):
            violations.append(("_cloudId", "must be the cloud of the path"))
        present = self._present(row["id"]) if row.get("id") is not None else None
        if present is not None and present.get("deleted") and row.get("deleted") is False:
            if self.behaviour.undelete == "refused":
                violations.append(("deleted", "must not be false: the row is deleted"))
            elif self.behaviour.undelete == "ignored":
                del row["deleted"]
        if violations:
            raise RefusedError(400, violations=violations)
        if present is not None and self.behaviour.version_in_body == "checked":
            self._check_version(row, present)
        untaken = _NEVER_TAKEN if self.behaviour.read_only_fields == "taken" else lists.SET_BY_SERVER
        given = {name: value for name, value in row.items() if name not in untaken}
        rules.complete(self.entity.name, given, present or {}, self.behaviour)
        whole = (present or {}) | given if merging else given
        change = rules.Change(self.shop, self.behaviour, self.cloud_id, self.entity, row.get("id"), whole, given)
        rules.check(change)
        return given

    def _values(self, body: Row) -> tuple[Row, list[Violation]]:
        """Return the fields of a body by their types, and what is wrong with single ones."""
        row: Row = {}
        violations: list[Violation] = []
        for name, value in body.items():
            field = self.entity.fields.get(name)
            if field is None:
                if self.behaviour.unknown_fields == "refused":
                    violations.append((name, "unknown field"))  # stricter than the real API may be [A]
                elif self.behaviour.unknown_fields == "taken":
                    self.shop.undocumented.add(name)
                    row[name] = value
                continue
            if field.read_only and name not in _NEVER_TAKEN and self.behaviour.read_only_fields == "refused":
                violations.append((name, "can't be written"))
                continue
            try:
                row[name] = wire.read_json(value, field.type)
            except ValueError as error:
                violations.append((name, str(error)))
                continue
            if value is None and not field.nullable and name != "id":
                violations.append((name, "must not be null"))
            if field.max_length is not None and _length(row[name]) > field.max_length:
                violations.append((name, f"must have at most {field.max_length} characters"))
        return row, violations

    def _check_version(self, row: Row, present: Row) -> None:
        """Refuse to change another state of the row than the stored one: 409 [D2]."""
        if row.get("versionDate") is None or present.get("versionDate") is None:
            return
        step = 1000 if self.behaviour.timestamp_precision == "s" else 1
        if row["versionDate"] // step != present["versionDate"] // step:
            raise RefusedError(409, "VERSION_DATE_MISMATCH", "The row was changed meanwhile")


def _length(value: Any) -> int:
    """Return the most characters that a field's text has; in a list, the longest text's [A]."""
    if isinstance(value, list):
        return max(map(_length, value), default=0)
    return len(value) if isinstance(value, str) else 0


def _blanks(entity: Entity) -> Row:
    """Return what becomes of the personal data of a row: null, or what is empty where null isn't allowed."""
    return {
        field.name: None if field.nullable else [] if field.type.endswith("[]") else ""
        for field in entity.fields.values()
        if field.personal
    }
