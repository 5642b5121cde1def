"""Errors of commands name options, as the person typed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_dotypos.cli import COMMANDS
from airflow_provider_dotypos.commands.naming import with_options
from tests.commands.conftest import Command

OPTIONS = {command.name: command.options() for command in COMMANDS}


@pytest.mark.parametrize(
    ("command", "text", "says"),
    [
        ("extract", "since must be a datetime, not str 'x'", "--since must be a datetime, not str 'x'"),
        ("extract", "until=2026-01-01T00:00:00.000Z has passed", "--until 2026-01-01T00:00:00.000Z has passed"),
        ("extract", "since='5' is a bare date: name its zone with timezone=, or", "--since '5' is a bare date: name "
         "its zone with --timezone, or"),
        ("extract", "give columns or exclude, not both", "give --columns or --exclude, not both"),
        ("extract", "omit since, include, columns and exclude", "omit --since, --include, --columns and --exclude"),
        ("extract", "filters by it (use since and until)", "filters by it (use --since and --until)"),
        ("extract", "extract it again with overwrite=True", "extract it again with --overwrite"),
        ("extract", "which personal_data=False leaves out", "which --no-personal-data leaves out"),
        ("extract", "flatten needs child lists: name them in include", "--flatten needs child lists: name them in "
         "--include"),
        ("extract", "name it by warehouse_id=", "name it by --warehouse-id"),
        ("compact", "cloud_id: no data of cloud 5", "--cloud-id: no data of cloud 5"),
        ("compact", "destination: no sets lie below s3://b/cloud_id/x", "DESTINATION: no sets lie below "
         "s3://b/cloud_id/x"),
        ("prune", "entities: name the lists", "ENTITY: name the lists"),
        ("show", "hold other shapes. Choose with shape='1a2b'", "hold other shapes. Choose with --shape '1a2b'"),
        ("erase", "database_conn_id must be the id", "--database-conn-id must be the id"),
    ],
)  # fmt: skip
def test_an_argument_is_an_option_in_a_shell(command: str, text: str, says: str) -> None:
    assert with_options(text, OPTIONS[command]) == says


@pytest.mark.parametrize(
    "text",
    [
        "Rows that haven't changed since are gone, also with a filter, from the table that this schema has",
        "the column _cloud_id; the file /data/cloud_id/x; s3://a/table=orders; DotyposHook(cloud_id_of=5); cloud_ids",
        "holds 'cloudid' (did you mean 'cloud_id'?): {\"cloud_id\": 5} (known: 'cloud_name', 'cloud_id')",
        "Give --since, --cloud-id or --since=2026-01-01T00:00:00Z",
        "Dotypos has no entity 'since'",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert all(with_options(text, options) == text for options in OPTIONS.values())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("extract orders --destination {} --since yesterday", "--since must be a datetime"),
        ("extract orders --destination {} --columns id --exclude id", "give --columns or --exclude, not both"),
        ("extract orders --destination {} --flatten", "--flatten needs child lists: name them in --include"),
        ("extract orders --destination {} --until 2026-01-01", "--until '2026-01-01' is a bare date: name its zone "
         "with --timezone, such as"),
        ("extract customers --destination {} --columns email --no-personal-data", "--columns asks for email, which "
         "--no-personal-data leaves out"),
        ("compact {}", "DESTINATION: no sets lie below"),
        ("prune {}/none --older-than 30", "ENTITY: name the lists"),
        ("erase customer 5 --destination {}", "--destination: no sets lie below"),
        ("watermark set {} --to 2026-01-01", "--to='2026-01-01' is a bare date: name its zone with --timezone"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("sandbox")
def test_the_error_of_a_command_names_what_was_typed(line: str, says: str, command: Command, tmp_path: Path) -> None:
    done = command(*line.format(tmp_path).split())
    assert done.code != 0
    assert says in done.err
