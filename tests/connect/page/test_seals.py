"""What the browser keeps for us: nobody but us can read, change, or reuse it for another purpose."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.connect.page.seals import BrokenSealError, ExpiredSealError, Seals

SEALS = Seals("the key that all API servers share")
SIGNS = "ABCxyz019-_=% "
CONTENT = st.dictionaries(st.text(), st.text() | st.booleans() | st.none())


@given(CONTENT)
def test_what_was_sealed_comes_back_and_can_not_be_read_meanwhile(content: dict[str, object]) -> None:
    sealed = SEALS.seal("state", {**content, "token": "fa4e70cefa4e70ce"})

    assert "fa4e70ce" not in sealed
    assert SEALS.open("state", sealed, life=60) == {**content, "token": "fa4e70cefa4e70ce"}


@given(CONTENT, st.data())
def test_whatever_was_changed_is_broken(content: dict[str, object], data: st.DataObject) -> None:
    sealed = SEALS.seal("state", content)
    place = data.draw(st.integers(0, len(sealed.rstrip("=")) - 2))
    # Any other sign: what is drawn must not depend on the seal, which differs each time.
    other = SIGNS[(SIGNS.find(sealed[place]) + data.draw(st.integers(1, len(SIGNS) - 1))) % len(SIGNS)]

    with pytest.raises(BrokenSealError):
        SEALS.open("state", sealed[:place] + other + sealed[place + 1 :], life=60)


@pytest.mark.parametrize("sealed", [None, "", "x", "é", "gAAAAA==", "a" * 10_000, "\x00"])
def test_what_was_never_sealed_is_broken(sealed: str | None) -> None:
    with pytest.raises(BrokenSealError):
        SEALS.open("state", sealed, life=60)


def test_a_seal_is_good_for_its_purpose_alone() -> None:
    with pytest.raises(BrokenSealError):
        SEALS.open("state", SEALS.seal("form", {}), life=60)


def test_a_seal_is_good_with_its_key_alone() -> None:
    with pytest.raises(BrokenSealError):
        Seals("another key").open("state", SEALS.seal("state", {}), life=60)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_a_digest_tells_whether_values_are_the_same(values: list[str], others: list[str]) -> None:
    digest = SEALS.digest("application", *values)

    assert (SEALS.digest("application", *others) == digest) is (others == values)
    assert SEALS.digest("another purpose", *values) != digest
    assert Seals("another key").digest("application", *values) != digest


def test_a_seal_ages() -> None:
    then = int(time.time()) - 100
    sealed = SEALS._fernet("state").encrypt_at_time(b"{}", then).decode()

    assert SEALS.open("state", sealed, life=130) == {}
    with pytest.raises(ExpiredSealError):
        SEALS.open("state", sealed, life=90)
