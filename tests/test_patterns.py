"""No text of a server's making freezes a process: twice the text takes about twice the time (`redaction` among them).

All regular expressions of the package are listed here, so that a new one is looked at: does it see foreign text?
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import airflow_provider_dotypos
from airflow_provider_dotypos.api import characters, page, redaction, webhooks
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.redaction import redact
from airflow_provider_dotypos.api.refusals import retry_after_seconds
from airflow_provider_dotypos.commands import extract, naming
from airflow_provider_dotypos.commands.probes import values
from airflow_provider_dotypos.hooks.failures import in_short_lines
from airflow_provider_dotypos.transfers.rows import lenient
from airflow_provider_dotypos.transfers.sql import errors as sql_errors
from airflow_provider_dotypos.transfers.sql.encoding import mending

PACKAGE = Path(airflow_provider_dotypos.__file__).parent

#: Patterns that see foreign text, by file: how often each is there and what puts text through it is below.
FOREIGN = {
    "api/redaction.py": {redaction._SECRET_SHAPES.pattern, redaction._CONTROLS.pattern},
    "api/refusals.py": {r"\s*\d{1,20}(\.\d+)?\s*"},
    "api/characters.py": {characters._ESCAPES.pattern, characters._HALF.pattern},
    "api/page.py": {page._ID.pattern, page._DIGITS.pattern, page._COUNT.pattern, page._ISO.pattern},
    "api/passes.py": {r"\w+"},
    "api/webhooks.py": {webhooks._PATH.pattern},
    "api/auth.py": {r"[\x21-\x7e]+"},
    "connect/credentials.py": {r"[\x21-\x7e]+"},
    "connect/page/suggestion.py": {"[a-z0-9]+"},
    "api/transport.py": {r"^(<.*?>|\w*Connection\(.*?\)): "},
    "commands/probes/values.py": {
        values._TIME.pattern,
        values._OF_LIMITS.pattern,
        r"-?\d+",
        r"-?\d+(\.\d+)?",
        r"[A-Za-z_]{1,40}",
    },
    "commands/naming.py": {
        naming._WITH_VALUE.pattern,
        naming._IN_A_LIST.pattern,
        naming._FIRST.pattern,
        naming._SNAKE.pattern,
        naming._WORD.pattern,
    },
    "hooks/failures.py": {r"(?<=[.!?)]) (?=[A-Z(])|\n"},
    "commands/probes/filters.py": {"[A-Za-z]{2}"},
    "transfers/rows/lenient.py": {lenient._NUMBER.pattern, lenient._FINER_THAN_MILLISECONDS.pattern},
    # What drivers' errors say may hold rows.
    "transfers/sql/errors.py": {sql_errors._COLUMN_OF_COPY.pattern, sql_errors._COLUMN_OF_MYSQL.pattern},
    "transfers/sql/encoding/mending.py": {
        mending._SUSPICIOUS.pattern,
        mending._TOKENS.pattern,
        mending._ESCAPES.pattern,
    },
    # A connector's answer passes these on its way into a connection.
    "api/overrides.py": {r"[0-9]{1,10}(\.0)?"},
    "api/settings.py": {
        r"[\x21-\x7e]+",
        r"[\w:-][\w.:-]*",
        r"[^\x21-\x7e]",
        r"/v2$",
    },
}

#: Patterns that see what a DAG's author, an admin or this package wrote.
OWN = {
    "api/budget.py": 1,
    "api/entities.py": 4,
    "api/headers.py": 2,
    "api/list_uri.py": 1,
    "api/matching.py": 5,
    "api/paths.py": 2,
    "api/query.py": 1,
    "api/window.py": 3,
    "commands/sandbox.py": 2,
    "connect/page/next_steps.py": 1,
    "connections/stored.py": 2,
    "lake/watermarks.py": 1,
    "sales/opening_hours.py": 1,
    "transfers/files/folder_files.py": 1,
    "transfers/files/manifest.py": 1,
    "transfers/files/pending.py": 1,
    "transfers/files/watermark_files.py": 1,
    "transfers/sql/tables.py": 1,
    "transfers/sql/transaction.py": 1,
    "writes/stock/journal.py": 2,
    "writes/stock/arguments.py": 1,
}

#: What comes again and again in a text that makes a pattern start over, and how the text ends.
SEEDS = [
    *("-eyJ", "eyJ", "eyJ-", "eyJa.", ".eyJ", "User ", "User\t", "Bearer a", "User aaaaaaaaaaa ", " ", "\n", "\r\n"),
    *("token", "token ", "token: ", "token=", "token=a&", 'token"', "-token", "secret", "signature = ", "a", "a-", "é"),
    *("0", "0.", "0 ", ".0", "-0", "1e", ":00.000", "2026-01-01T00:00:00.", "00:", "rate", "retry-", "rate-limi"),
    *(
        "\\",
        "\\\\",
        "\\u",
        "\\ud8",
        "\\ud83d",
        "\\ud83d\\ude00",
        "\\udc00",
        "<",
        "<>",
        "<>:",
        "HTTPConnection(",
        ")",
        "/v2",
    ),
]
ENDS = ["", "\x00"]


def puts(pattern: str, way: str = "fullmatch") -> Callable[[str], object]:
    return getattr(re.compile(pattern), way)  # type: ignore[no-any-return]


THROUGH: dict[str, Callable[[str], object]] = {
    "redact": lambda text: redact(text, ["secret-of-ours"]),
    "the shapes of secrets": lambda text: redaction._SECRET_SHAPES.sub("***", text),
    "an error's message": lambda text: error_for("GET", "/v2/x", 503, {}, b'{"message": "%s"}' % _in_json(text)),
    "a violation": lambda text: error_for(
        "GET", "/v2/x", 400, {}, b'{"violations": [{"path": ["%s"]}]}' % _in_json(text)
    ),
    "a message in short lines": in_short_lines,
    "Retry-After": retry_after_seconds,
    "half characters": lambda text: characters.without_half_characters(text.encode()),
    "an id": page._ID.fullmatch,
    "digits": page._DIGITS.fullmatch,
    "a count": page._COUNT.fullmatch,
    "fields that a refusal names": puts(r"\w+", "findall"),
    "a timestamp": page._ISO.fullmatch,
    "a number": lenient._NUMBER.fullmatch,
    "a fine time": lenient._FINER_THAN_MILLISECONDS.search,
    "JSON for a database": lambda text: mending._storable(text, keeps_nul=False),
    "tokens of JSON": mending._TOKENS.findall,
    "escapes of JSON": mending._ESCAPES.findall,
    "the form of a time": values.time_form,
    "a limit": values._OF_LIMITS.search,
    "a probed number": puts(r"-?\d+(\.\d+)?"),
    "a name": puts(r"[A-Za-z_]{1,40}"),
    "two letters": puts("[A-Za-z]{2}", "search"),
    "a token": puts(r"[\x21-\x7e]+"),
    "a delivery's path": webhooks.read_delivery_path,
    "a host": puts(r"[\w:-][\w.:-]*"),
    "words": puts("[a-z0-9]+", "findall"),
    "a blank": puts(r"[^\x21-\x7e]", "search"),
    "a reason": lambda text: re.sub(r"^(<.*?>|\w*Connection\(.*?\)): ", "", text),
    "a column that COPY names": sql_errors._COLUMN_OF_COPY.search,
    "a column that MySQL names": sql_errors._COLUMN_OF_MYSQL.search,
    "arguments in an error": lambda text: naming.with_options(text, extract.options()),
    "the end of a path": lambda text: re.sub(r"/v2$", "", text),
}


def _in_json(text: str) -> bytes:
    return text.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b" ").replace(b"\r", b" ")


def test_every_pattern_of_the_package_is_listed() -> None:
    patterns: dict[str, list[str]] = {}
    for name, pattern in _patterns():
        patterns.setdefault(name, []).append(pattern)
    foreign = {name: set(found) for name, found in patterns.items() if name in FOREIGN}
    own = {name: len(found) for name, found in patterns.items() if name not in FOREIGN}
    assert foreign == FOREIGN, "a pattern that sees foreign text has to be put through its paces below"
    assert own == OWN, "a new pattern: does it see foreign text? Then it belongs to FOREIGN"


def _patterns() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("sandbox/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.fullmatch(r"re\.[a-z]+", ast.unparse(node.func)):
                assert isinstance(node.args[0], ast.Constant), f"{name}: a pattern that is made at run time"
                yield name, node.args[0].value


@pytest.mark.parametrize("through", THROUGH)
def test_twice_the_text_takes_about_twice_the_time(through: str) -> None:
    for seed in SEEDS:
        for end in ENDS:
            assert _growth(THROUGH[through], seed, end) < 3, (seed, end)


def _growth(function: Callable[[str], object], seed: str, end: str) -> float:
    """Return how much longer twice the text takes, as soon as it takes long enough to be measured; 0 if it never does.

    A quadratic pattern shows while texts are still short.
    """
    length = 1_000
    before = _seconds(function, seed * (length // len(seed)) + end)
    while length < 32_000:
        length *= 2
        now = _seconds(function, seed * (length // len(seed)) + end)
        if before > 0.002:
            return now / before if now / before < 3 else _measured_again(function, seed, end, length)
        before = now
    return 0.0


def _measured_again(function: Callable[[str], object], seed: str, end: str, length: int) -> float:
    """Measure more carefully: something else may have slowed the machine down.

    What slows one measurement down is no reason to fail, so the two take turns, and the best of many counts.
    """
    half, whole = (seed * (n // len(seed)) + end for n in (length // 2, length))
    least_half = least_whole = float("inf")
    for _ in range(20):
        least_half = min(least_half, _seconds(function, half))
        least_whole = min(least_whole, _seconds(function, whole))
        if least_whole / least_half < 2.5:
            break
    return least_whole / least_half


def _seconds(function: Callable[[str], object], text: str, rounds: int = 2) -> float:
    """Return the least processor time of some rounds, without that of other threads."""

    def once() -> float:
        started = time.thread_time()
        function(text)
        return time.thread_time() - started

    return max(min(once() for _ in range(rounds)), 1e-9)


class TestCutting:
    SECRET = "0123456789abcdef0123456789abcdef"

    @pytest.mark.parametrize(
        "shape", ["{}", "User {}", "Bearer {}", "token={}", '"accessToken":"{}"', "x;client_secret: {}"]
    )
    def test_a_cut_leaves_no_part_of_a_secret(self, shape: str) -> None:
        secrets = [self.SECRET] if shape == "{}" else []
        for before in range(redaction._LONGEST_TEXT - 80, redaction._LONGEST_TEXT + 10):
            for filler in ("x ", "x;"):
                text = (filler * before)[:before] + " " + shape.format(self.SECRET) + " and more" * 2000
                shown = redact(text, secrets)
                assert not any(self.SECRET[:n] in shown for n in range(4, 33)), (before, filler, shown[-100:])

    def test_a_json_web_token_across_the_cut_is_gone(self) -> None:
        token = "eyJhbGciOiJIUzI1NiJ9." + "Ab9_-" * 400 + ".c2lnbmF0dXJl"
        for before in range(redaction._LONGEST_TEXT - 2100, redaction._LONGEST_TEXT, 7):
            shown = redact("x " * (before // 2) + token + " z" * 5000)
            assert "Ab9" not in shown
            assert "c2ln" not in shown

    def test_many_secrets_that_shrink_to_stars_do_not_bring_the_cut_into_sight(self) -> None:
        text = f"token={'a' * 3000};token={'b' * 2000};User {self.SECRET * 100}"
        assert redact(text)[:500] == "token=***;token=***;User …"

    def test_what_is_short_is_not_cut(self) -> None:
        text = "nothing to hide; " * 300
        assert redact(text) == text

    def test_a_long_text_without_a_break_is_dropped(self) -> None:
        assert redact("x" * 100_000) == "…"
