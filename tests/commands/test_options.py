"""The options of every command: what they refuse, and what their help says."""

from __future__ import annotations

import argparse
import re
from typing import Any

import pytest

from airflow_provider_dotypos.cli import COMMANDS, main

OPTIONS = [(command.name, *option) for command in COMMANDS for option in command.options()]


def takes_a_number(details: dict[str, Any]) -> bool:
    try:
        return isinstance(details["type"]("1"), (int, float))
    except (KeyError, ValueError, argparse.ArgumentTypeError):
        return False


NUMBERS = [
    pytest.param(details["type"], id=f"{command}{flags[-1]}")
    for command, flags, details in OPTIONS
    if takes_a_number(details)
]


@pytest.mark.parametrize("read", NUMBERS)
@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e999", "9" * 5000, "x", ""], ids=lambda text: text[:9])
def test_a_number_out_of_bounds_is_refused(read: Any, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be a (whole )?number from \S+ to \S+, not '"):
        read(text)


def test_numbers_of_every_command_are_looked_at() -> None:
    assert {param.id for param in NUMBERS} >= {
        "sandbox--days",
        "sandbox--commit-lag",
        "check--cloud-id",
        "connect--port",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("sandbox --days -1", "argument --days: must be a whole number from 0 to 3650, not '-1'"),
        ("peek orders --limit 0", "argument --limit: must be a whole number from 1 to 100, not '0'"),
        ("peek orders --limit 101", "argument --limit: must be a whole number from 1 to 100, not '101'"),
        ("extract orders --destination x --concurrency 65", "argument --concurrency: must be a whole number from 1 to"),
    ],
)
def test_the_refusal_names_the_option(arguments: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "details", [pytest.param(details, id=f"{name}{flags[-1]}") for name, flags, details in OPTIONS]
)
def test_help_is_for_people(details: dict[str, Any]) -> None:
    text = details["help"]
    assert not re.search(r"``|\[|\]|\(default: (False|\(\)|None)\)", text)
    assert text == " ".join(text.split())
