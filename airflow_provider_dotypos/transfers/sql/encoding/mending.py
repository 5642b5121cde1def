"""Values that databases refuse although JSON allows them: what is written in their place, and how often."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_dotypos.api.characters import REPLACEMENT
from airflow_provider_dotypos.transfers.rows.columns import members
from airflow_provider_dotypos.transfers.rows.lenient import FIRST_MOMENT, LAST_MOMENT
from airflow_provider_dotypos.transfers.sql.names import UNKNOWN

#: How long a number in JSON may be, its zeros spelled out: what PostgreSQL's numeric and a double both hold.
_LONGEST_NUMBER = 300

#: An array in place of another, and in how many of its values they differ.
_Mended = tuple[pa.Array, int]


def mend_moments(batch: pa.RecordBatch, rows: Sequence[msgspec.Raw], misfits: Counter[str]) -> pa.RecordBatch:
    """Return rows without times outside the years 1 to 9999: these become nulls, and are kept in `UNKNOWN`.

    Arrow reads such times, as a zone or a year 0 makes them, and files keep them. PostgreSQL refuses the whole copy.

    :param rows: the rows as they came.
    :param misfits: counts what was moved, by field.
    """
    for i, field in enumerate(batch.schema):
        if not pa.types.is_timestamp(field.type):
            continue
        moments = batch.column(i).cast(pa.int64())
        odd = pc.fill_null(pc.or_(pc.less(moments, FIRST_MOMENT), pc.greater(moments, LAST_MOMENT)), False)
        places = [place for place, is_odd in enumerate(odd.to_pylist()) if is_odd] if pc.any(odd).as_py() else []
        if places:
            batch = batch.set_column(i, field, pc.if_else(odd, pa.scalar(None, field.type), batch.column(i)))
            batch = _keep(batch, rows, field.name, places)
            misfits[field.name] += len(places)
    return batch


def _keep(batch: pa.RecordBatch, rows: Sequence[msgspec.Raw], field: str, places: Sequence[int]) -> pa.RecordBatch:
    """Return a batch that keeps the values of a field in `UNKNOWN`."""
    unknown = batch.schema.get_field_index(UNKNOWN)
    texts = batch.column(unknown).to_pylist()
    for place in places:
        kept = msgspec.json.decode(texts[place] or "{}", type=dict[str, msgspec.Raw])
        kept[field] = members(rows[place], Counter())[field]
        texts[place] = msgspec.json.encode(kept).decode()
    return batch.set_column(unknown, batch.schema.field(unknown), pa.array(texts, pa.string()))


def mend_text(texts: pa.Array) -> _Mended | None:
    """Return texts, or lists of texts, with U+FFFD in place of NUL; ``None`` if there is none."""
    characters = texts.buffers()[-1]
    if characters is None or b"\0" not in characters.to_pybytes():
        return None
    return _replace(texts, [_without_nul(value) for value in texts.to_pylist()])


def mend_json(texts: pa.Array, keeps_nul: bool) -> _Mended | None:
    """Return JSON with U+FFFD in place of an escaped NUL, and too long numbers as text; ``None`` if there are none.

    :param keeps_nul: whether NUL may stay.
    """
    if texts.null_count == len(texts):
        return None
    values = texts.to_pylist()
    mended = [None if value is None else _storable(value, keeps_nul) for value in values]
    return None if mended == values else _replace(texts, mended)


def _replace(old: pa.Array, values: Sequence[object]) -> _Mended:
    new = pa.array(values, old.type)
    return new, sum(before != after for before, after in zip(old.to_pylist(), values, strict=True))


def _without_nul(value: str | list[str | None] | None) -> object:
    if isinstance(value, list):
        return [_without_nul(text) for text in value]
    return None if value is None else value.replace("\0", REPLACEMENT)


def _storable(text: str, keeps_nul: bool) -> str:
    if not _SUSPICIOUS.search(text):
        return text
    return _TOKENS.sub(lambda token: _storable_token(token[0], keeps_nul), text)


def _storable_token(token: str, keeps_nul: bool) -> str:
    if token.startswith('"'):
        return token if keeps_nul else _ESCAPES.sub(_mend_escape, token)
    digits, _, exponent = token.lower().partition("e")
    # Its digits are counted before it is read: Python reads no more than some thousands.
    fits = len(exponent) <= 5 and len(digits) + abs(int(exponent or "0")) <= _LONGEST_NUMBER
    return token if fits else f'"{token}"'


def _mend_escape(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[0] == r"\u0000" else escape[0]


#: A NUL, an exponent of three digits, or very many digits: few texts have to be looked at more closely.
_SUSPICIOUS = re.compile(r"\\u0000|[0-9][eE][+-]?[0-9]{3}|[0-9]{200}")
#: Strings and numbers of JSON.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')
_ESCAPES = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
