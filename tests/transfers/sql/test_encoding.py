"""Rows reach each database exactly, however odd, and through each driver.

This tests `encoding/rows.py`, `encoding/copy.py`, `encoding/duckdb.py`, `encoding/sqlite.py`, `encoding/mysql.py`,
`encoding/forms.py` and `encoding/mending.py`.
"""

from __future__ import annotations

import functools
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.transfers.errors import PyarrowMissingError
from airflow_provider_dotypos.transfers.rows.arrow import Table
from airflow_provider_dotypos.transfers.sql.encoding.mending import mend_json, mend_moments
from tests.transfers.sample_rows import columns_of, encoded, order, raw
from tests.transfers.sample_rows import rows as odd_rows
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.staged import CLOUD, READ_AT, Staging

Stagings = Callable[..., Staging]


@pytest.fixture
def staging(warehouse: Warehouse) -> Iterator[Stagings]:
    stagings: list[Staging] = []

    def make(entity: str = "orders", **asked_for: Any) -> Staging:
        stagings.append(Staging(warehouse, entity, **asked_for))
        return stagings[-1]

    yield make
    for each in stagings:
        each.close()


def test_numbers_and_times_are_exact(staging: Stagings) -> None:
    chance = random.Random(14)
    place = staging(columns="totalValueRounded,flags,itemCount,completed")
    numbers = [number(chance) for _ in range(10_000)]
    numbers[:6] = ["485", "0", "-0", "0.000000000000000001", "-99999999999999999999.999999999999999999", "1E-18"]
    moments = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_000), datetime(2026, 3, 29, 1, 30)]
    moments += [
        datetime.fromtimestamp(chance.randrange(-(6 * 10**10), 2 * 10**11) / 1000, timezone.utc) for _ in range(97)
    ]
    ends = [2**63 - 1, -(2**63), 0, -1]
    rows = [
        {
            "id": str(i + 1),
            "totalValueRounded": numbers[i],
            "flags": str(ends[i % 4]),
            "itemCount": str([2**31 - 1, -(2**31)][i % 2]),
            "completed": written(moments[i % 100]),
        }
        for i in range(10_000)
    ]
    encoder = place.copy([raw(row) for row in rows])
    assert (encoder.rows, encoder.misfits) == (10_000, {})
    counted = place.warehouse.rows(f"SELECT count(*), min(cloud_id), max(cloud_id), min(_load_id) FROM {place.name}")
    assert counted == [(10_000, CLOUD, CLOUD, "load-1")]
    for (id, total, flags, count, completed, read_at), row in zip(
        place.read("id", "total_value_rounded", "flags", "item_count", "completed", "_read_at"), rows, strict=True
    ):
        assert str(id) == row["id"]
        exact = Decimal(row["totalValueRounded"])
        assert total == exact or (place.warehouse.kind == "sqlite" and is_near(total, exact)), row
        assert (str(flags), str(count)) == (row["flags"], row["itemCount"])
        assert moment(completed) == moment(row["completed"])
        assert moment(read_at) == READ_AT


def number(chance: random.Random) -> str:
    whole, places = chance.randint(0, 20), chance.randint(0, 18)
    digits = "".join(chance.choices("0123456789", k=whole + places)) or "0"
    return chance.choice(["", "-"]) + (digits[:whole] or "0") + (f".{digits[whole:]}" if places else "")


def is_near(value: Any, exact: Decimal) -> bool:
    """Return whether a value of SQLite is a number to 15 digits, which is all that its NUMERIC keeps."""
    return math.isclose(value, exact, rel_tol=1e-15)


def written(moment: datetime) -> str:
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def moment(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00") if sys.version_info < (3, 11) else value)
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)  # type: ignore[no-any-return]


ODD_TEXTS = [
    *(
        "",
        " ",
        "NULL",
        "\\N",
        "\\.",
        "\n\\.\n",
        "\\",
        "\\\\",
        '"',
        '""',
        "'",
        "''",
        "a'b\"c`d",
        "a\tb",
        "a\r\nb",
        "\r",
        "\n",
    ),
    *(
        ",",
        ";",
        "{}",
        '{}",NULL',
        "{NULL}",
        "%s %(x)s %%",
        "?",
        "$1",
        ":x",
        "{{ x }}",
        "🍺 ﷽ ÿ",
        "\x01\x1f\x7f",
        "\u2028",
    ),
    "x" * 2**20,
]


def test_odd_texts_are_kept(staging: Stagings) -> None:
    place = staging(columns="note,tags,printData")
    rows = [
        {"id": str(i), "note": text, "tags": [text, "", text + "\\"], "printData": None}
        for i, text in enumerate(ODD_TEXTS, 1)
    ]
    rows += [{"id": "1000", "tags": []}, {"id": "1001", "tags": [None, "NULL", "null"]}, {"id": "1002"}]
    encoder = place.copy([raw(row) for row in rows])
    assert not encoder.misfits
    for (note, tags, print_data), row in zip(place.read("note", "tags", "print_data"), rows, strict=True):
        assert note == row.get("note")
        assert items(tags) == row.get("tags")
        assert print_data is None


def items(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def test_times_that_no_calendar_of_a_database_has_are_kept_aside(staging: Stagings) -> None:
    """One of them would end a whole load: PostgreSQL has no year 0, MySQL none after 9999."""
    odd = ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+10:00"]
    place = staging()
    usual = order(id="1", completed="2026-03-01T10:00:00Z", novel=1)
    encoder = place.copy([usual, *(order(id=str(i), completed=text, novel=1) for i, text in enumerate(odd, 2))])
    assert encoder.misfits == {"completed": 3}
    (first, unknown), *others = place.read("completed", "_unknown")
    assert (moment(first), items(unknown)) == (moment("2026-03-01T10:00:00Z"), {"novel": 1})
    assert [(completed, items(unknown)) for completed, unknown in others] == [
        (None, {"novel": 1, "completed": text}) for text in odd
    ]


def test_nul_is_kept_or_counted(staging: Stagings) -> None:
    place = staging()
    rows = [order(id=str(i), note="a\0b", tags=["\0", None, "x"], novel={"\0": ["\\u0000", "\0"]}) for i in (1, 2)]
    encoder = place.copy([*rows, order(id="3", novel=r"\u0000")])
    nul = "�" if place.warehouse.kind == "postgres" else "\0"
    kept = [("a" + nul + "b", [nul, None, "x"], {"novel": {nul: ["\\u0000", nul]}})]
    read = [(note, items(tags), items(unknown)) for note, tags, unknown in place.read("note", "tags", "_unknown")]
    assert read[:2] == kept * 2
    assert read[2][2] == {"novel": r"\u0000"}
    assert encoder.misfits == ({"note": 2, "tags": 2, "_unknown": 2} if nul == "�" else {})


def test_numbers_that_no_database_holds_are_kept_as_text(staging: Stagings) -> None:
    place = staging()
    novel = ["1e400000", "1" * 131_073, "-0." + "1" * 20_000, "0e99999999999999999999", "1e-16384"]
    fine = ["1e5", "12345678901234567890", "-0.000000001", "1E-7"]
    row = bytes(order())[:-1] + f',"novel":[{",".join([*novel, *fine])}],"text":"1e999 \\" 1e999"}}'.encode()
    encoder = place.copy([msgspec.Raw(row)])
    ((unknown,),) = place.read("_unknown")
    kept = items(unknown)
    assert kept["novel"][:5] == novel
    assert kept["novel"][5:] == pytest.approx([float(number) for number in fine])
    assert kept["text"] == '1e999 " 1e999'
    assert encoder.misfits == {"_unknown": 1}


@functools.cache
def some_odd_rows(entity: str) -> list[msgspec.Raw]:
    """Return rows with values near what they should be, or not; each has an id."""
    rows: list[dict[str, str]] = []

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(odd_rows(columns_of(entity)))
    def collect(several: list[dict[str, str]]) -> None:
        rows.extend(several)

    collect()
    return [encoded(row | {"id": str(i)}) for i, row in enumerate(rows)]


@pytest.mark.parametrize("entity", ["orders", "order-items", "products"])
def test_odd_rows_have_the_same_columns_and_unknown_as_in_parquet(staging: Stagings, entity: str) -> None:
    place, rows = staging(entity), some_odd_rows(entity)
    place.copy(rows)
    names = {column.field: place.dialect.quote(column.name) for column in place.table.columns if column.field}
    read = place.read(*names.values(), "_unknown")
    parquet = Table(columns_of(entity))
    expected = [mend_moments(parquet.batch([row]), [row], Counter()).to_pylist()[0] for row in rows]
    assert sum(row["_unknown"] is not None for row in expected) > 20
    for values, wanted in zip(read, expected, strict=True):
        for field, value in zip([*names, "_unknown"], values, strict=True):
            if field == "_unknown" and wanted[field] is not None:  # the cloud's id has no column of that kind
                left = {k: v for k, v in MEMBERS.decode(wanted[field]).items() if k != "_cloudId"}
                wanted[field] = msgspec.json.encode(left).decode() if left else None
            assert same(value, wanted[field], place.warehouse.kind), (field, value, wanted[field])


MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def same(value: Any, wanted: Any, kind: str) -> bool:
    """Return whether a value of a database is one of Arrow's."""
    if isinstance(wanted, datetime):
        return moment(value) == wanted
    if isinstance(wanted, bool):
        return bool(value) is wanted
    if isinstance(wanted, Decimal) and kind == "sqlite":
        return is_near(value, wanted)
    if isinstance(wanted, list) and isinstance(value, str):
        value = json.loads(value)
    if kind == "postgres":
        wanted = without_nul(wanted)
    if isinstance(wanted, str) and value != wanted:  # JSON
        kept = value if kind == "postgres" else json.loads(value)
        parsed = json.loads(wanted, parse_float=storable, parse_int=storable)
        return bool(rounded(kept) == (without_nul(parsed) if kind == "postgres" else parsed))
    return bool(value == wanted)


def storable(number: str) -> Any:
    """Return a number of JSON as it is kept: about as it is, or as text if it is longer than 300 digits."""
    digits, _, exponent = number.lower().partition("e")
    return number if len(digits) + abs(int(exponent or 0)) > 300 else pytest.approx(float(number))


def without_nul(value: Any) -> Any:
    if isinstance(value, dict):
        return {without_nul(name): without_nul(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    return value.replace("\0", "�") if isinstance(value, str) else value


def rounded(value: Any) -> Any:
    """Return JSON without a difference between whole numbers and others."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_a_row_without_a_key_is_an_error_that_holds_no_value(staging: Stagings) -> None:
    place = staging()
    encoder = place.encoder()
    with pytest.raises(DotyposResponseError, match="orders: id of a row is missing or isn't a whole number") as raised:
        encoder.add([order(id=f"{i}-Jana", note="Jana") for i in range(500)], READ_AT)
    assert "Jana" not in f"{raised.value!r} {raised.value.__context__!r} {raised.value.__cause__!r}"


def test_all_columns_of_a_key_are_checked(staging: Stagings) -> None:
    encoder = staging("warehouse-products").encoder()
    encoder.add([raw({"id": "1", "_warehouseId": "Jana"})], READ_AT)
    with pytest.raises(DotyposResponseError, match="warehouse-products: _warehouseId of a row"):
        encoder.copy(None, "")  # type: ignore[arg-type]


def test_an_encoder_says_what_it_holds_and_forgets_it(staging: Stagings) -> None:
    place = staging()
    rows = [order(id=str(i), note=str(i) * 10, itemCount="odd") for i in range(2_000)]
    encoder = place.copy(rows)
    assert encoder.rows == 2_000
    assert encoder.misfits == {"itemCount": 2_000}
    least = {"mysql": 5, "postgres": 200}.get(place.warehouse.kind, 300)  # MySQL's are compressed
    assert least < encoder.bytes / encoder.rows < 700
    with place.database.transaction() as transaction:
        encoder.copy(transaction, place.name)  # the first answer was lost
    assert len(place.read("id")) == 4_000
    encoder.clear()
    assert (encoder.rows, encoder.bytes, encoder.misfits) == (0, 0, {})
    with place.database.transaction() as transaction:
        encoder.copy(transaction, place.name)
    assert len(place.read("id")) == 4_000


def test_rows_that_wait_to_be_encoded_count(staging: Stagings) -> None:
    encoder = staging().encoder()
    encoder.add([order(id="1")], READ_AT)
    assert (encoder.rows, encoder.bytes) == (1, len(order(id="1")))
    encoder.clear()
    assert (encoder.rows, encoder.bytes) == (0, 0)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_both_drivers_of_postgresql_copy(postgres: Warehouse, driver: str) -> None:
    module = pytest.importorskip(driver)
    given = postgres.connection
    connect = partial(module.connect, host=given["host"], user="postgres", dbname="postgres", **given["extra"])
    with Staging(postgres, connect=connect) as place:
        texts = [text for text in ODD_TEXTS if "\0" not in text] * 40  # more than a driver asks for at once
        place.copy([order(id=str(i), note=text) for i, text in enumerate(texts, 1)])
        assert [note for (note,) in place.read("note")] == texts


def test_the_session_of_postgresql_may_have_any_settings(postgres: Warehouse) -> None:
    postgres.connection["extra"]["options"] += (
        " -c timezone=America/St_Johns -c datestyle=German -c client_encoding=LATIN2 -c standard_conforming_strings=off"
    )
    with pytest.MonkeyPatch.context() as patch:
        postgres.store(patch)
        with Staging(postgres) as place:
            place.copy([order(id="1", note="účet 🍺", completed="2026-05-01T08:30:00.000Z")])
            ((note, completed),) = place.read("convert_to(note, 'UTF8')", "extract(epoch FROM completed)")
            assert bytes(note).decode() == "účet 🍺"
            assert completed == datetime(2026, 5, 1, 8, 30, tzinfo=timezone.utc).timestamp()


def test_without_pyarrow_the_error_says_what_to_install(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with Staging(warehouse) as place:
        place.dialect.require_pyarrow()
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(PyarrowMissingError, match=rf"pip install 'airflow-provider-dotypos\[{warehouse.kind}\]'"):
            place.dialect.require_pyarrow()


@pytest.mark.parametrize("text", ["", '"a"', r'["\\u0000", 1e99, "\"1e999"]', '{"1e999": [1, -2.5e-7, true, null]}'])
def test_json_that_every_database_takes_stays_as_it_is(text: str) -> None:
    assert mend_json(pa.array([text, None]), keeps_nul=False) is None
