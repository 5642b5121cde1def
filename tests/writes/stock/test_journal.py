"""The journal: an entry is made once, and the names of files say what has become of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.writes.stock.journal import Entry, Journal, open_journal
from airflow_provider_dotypos.writes.stock.levels import Evidence, Level


def journal(folder: Path, document: str = "DN-1", **fields: object) -> Journal:
    settings = Settings.from_fields(extra={"refresh_token": "x", "cloud_id": 7, **fields})
    return open_journal(str(folder), settings, "5", "stock_up", document)


def entry(part: int = 1, number: int = 1, owner: str = "me") -> Entry:
    evidence = Evidence({"5": {"1": Level("10", "2026", None)}}, {"5": {"1": Decimal("2.5")}})
    return Entry(part=part, number=number, digest="d", over_by=1.5, evidence=evidence, owner=owner)


def test_entries_come_back_in_their_order_with_what_became_of_them(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    assert kept.read() == []
    for each in (entry(2), entry(1, 2), entry(1, 1), entry(10, 11)):
        assert kept.begin(each)
    done = kept.end(entry(1, 2), "applied", {"transaction": "5"})
    assert journal(tmp_path).read() == [entry(1, 1), done, entry(2), entry(10, 11)]
    assert (done.outcome, done.facts) == ("applied", {"transaction": "5"})


def test_an_entry_belongs_to_the_one_who_made_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda owner: journal(tmp_path).begin(entry(owner=str(owner))), range(8)))
    assert made.count(True) == 1
    (kept,) = journal(tmp_path).read()
    assert kept.owner == str(made.index(True))


@pytest.mark.parametrize(
    ("outcomes", "counts"),
    [
        (("uncertain", "applied"), "applied"),
        (("uncertain", "not-applied"), "not-applied"),
        (("not-applied", "applied"), "applied"),  # what is booked isn't sent again, whatever else is said
        (("accepted", "not-applied"), "not-applied"),
        (("accepted",), "uncertain"),  # it doesn't say where its status is
    ],
)
def test_a_persons_empty_file_counts(tmp_path: Path, outcomes: tuple[str, ...], counts: str) -> None:
    kept = journal(tmp_path)
    kept.begin(entry())
    for outcome in outcomes:
        Path(kept.place(entry(), outcome).removeprefix("file://")).touch()  # type: ignore[arg-type]
    (known,) = kept.read()
    assert known.outcome == counts


@pytest.mark.parametrize("content", [b"", b'{"part": 1, "num', b"\xff", b"[]"])
def test_an_entry_that_is_cut_off_was_begun(tmp_path: Path, content: bytes) -> None:
    kept = journal(tmp_path)
    kept.begin(entry())
    Path(kept.address.removeprefix("file://"), "0001-01.json").write_bytes(content)
    assert kept.read() == [Entry(part=1, number=1)]


def test_an_entry_of_a_later_format_was_begun(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.begin(msgspec.structs.replace(entry(), format=2))
    assert kept.read() == [Entry(part=1, number=1)]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.begin(entry())
    for name in (".staging-5", "0001-01.json.tmp", "README", "0001-01"):
        Path(kept.address.removeprefix("file://"), name).touch()
    assert kept.read() == [entry()]


def behind_gateway(path: str) -> Settings:
    return Settings.from_fields(host=f"https://gateway.example/{path}", extra={"refresh_token": "x", "cloud_id": 7})


def test_hosts_clouds_and_documents_have_folders_of_their_own(tmp_path: Path) -> None:
    """What was tried on a sandbox doesn't count for the real API."""
    sandbox = Settings.from_fields(host="http://127.0.0.1:8765", extra={"refresh_token": "x", "cloud_id": 7})
    folders = {
        journal(tmp_path).address,
        journal(tmp_path, cloud_id=8).address,
        *(
            open_journal(str(tmp_path), behind_gateway(path), "5", "stock_up", "DN-1").address
            for path in ("test", "live")
        ),
        open_journal(str(tmp_path), sandbox, "5", "stock_up", "DN-1").address,
        open_journal(str(tmp_path), sandbox, "6", "stock_up", "DN-1").address,
        open_journal(str(tmp_path), sandbox, "6", "sell", "DN-1").address,
        *(
            journal(tmp_path, document).address
            for document in ("DN/1", "DN 1", "dn-1", "..", "/", "Příjemka 1", "x" * 999)
        ),
    }
    assert len(folders) == 14
    for folder in folders:
        assert Path(folder.removeprefix("file://")).resolve().is_relative_to(tmp_path)


def test_a_folder_that_other_workers_cannot_reach_is_refused() -> None:
    settings = Settings.from_fields(extra={"refresh_token": "x", "cloud_id": 7})
    with pytest.raises(DotyposInputError, match="journal must be an absolute path"):
        open_journal("journal", settings, "5", "stock_up", "DN-1")
