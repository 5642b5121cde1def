"""Bytes that are UTF-8, and the replacement of all others (`characters`)."""

from __future__ import annotations

import codecs

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api import characters
from airflow_provider_dotypos.api.characters import as_text, decode_json, is_text


def as_python_sees_it(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.lists(st.sampled_from([b"a", "č".encode(), "😀".encode(), b"\xe9", b"\xf0\x9f", b"\xed\xa0\x80"]), max_size=9)
)
def test_utf_8_is_told_from_the_rest_in_pieces_of_any_size(parts: list[bytes]) -> None:
    data = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        for size in range(4, 9):  # a character has up to four bytes
            patch.setattr(characters, "_PIECE", size)
            assert is_text(data) == as_python_sees_it(data)
    assert is_text(as_text(data))
    assert is_text(data) == (as_text(data) == data)


def test_json_is_read_whatever_its_texts_hold() -> None:
    assert decode_json(msgspec.Raw(b'{"a":"caf\xe9"}')) == {"a": "caf�"}
    assert decode_json(codecs.BOM_UTF8 + rb'{"a":"cut off \ud83d"}') == {"a": "cut off �"}


@pytest.mark.parametrize(
    "body", [b"<html>\xe9", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, codecs.BOM_UTF8 * 10_000]
)
def test_what_is_no_json_is_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_json(body)


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\uDE00"])
def test_half_of_a_character_is_a_lost_one(half: bytes) -> None:
    assert decode_json(b'{"a":"cut ' + half + b'","b":"\\ud83d\\ude00"}') == {"a": "cut \ufffd", "b": "😀"}
    assert decode_json(b'{"a":"caf\xe9 ' + half + b'"}') == {"a": "caf\ufffd \ufffd"}
