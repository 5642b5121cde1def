"""The same connection given in each way that Airflow takes is the same, and odd fields are named.

This tests `api.settings` and `api.overrides`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from airflow.models.connection import Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposInputError, DotyposMissingTokenError
from airflow_provider_dotypos.api.settings import LIMITS, Settings
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.provider_info import CONN_FIELDS
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from tests.ui.airflow_server import AirflowHome

TOKEN = "fa4e70cefa4e70cefa4e70cefa4e70ce"
SETTINGS = Settings(
    base_url="http://127.0.0.1:8765",
    refresh_token=TOKEN,
    cloud_id=310101001,
    timeout=30.0,
    requests_per_minute=90.0,
    request_budget=Budget(150, 1800.0),
    max_concurrency=2,
    cloud_name="Example Bistro",
)
SANDBOX = "http://sandbox:8765"
AS_NUMBERS = {
    "refresh_token": TOKEN,
    "cloud_id": 310101001,
    "timeout": 30,
    "requests_per_minute": 90.0,
    "request_budget": "150/30min",
    "max_concurrency": 2,
    "cloud_name": "Example Bistro",
}
AS_TEXT = {name: str(value) for name, value in AS_NUMBERS.items()}


def as_json(extra: dict[str, Any]) -> str:
    return json.dumps({"conn_type": "dotypos", "host": "http://127.0.0.1", "port": 8765, "extra": extra})


def as_uri(extra: dict[str, Any], authority: str = "127.0.0.1:8765", scheme: str = "http://") -> str:
    return f"dotypos://{scheme}{authority}/?{urlencode(extra, quote_via=quote)}"


def settings_of(connection: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return what the hook makes of a connection given in the environment."""
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_FORM", connection)
    return DotyposHook("dotypos_form").get_conn().settings


def settings_by_core(uri: str) -> Settings:
    """Return the settings of a connection that Airflow's core read from a URI: it decodes what looks like JSON."""
    connection = Connection(uri=uri)
    return Settings.from_fields(host=connection.host, port=connection.port, extra=connection.extra_dejson)


@pytest.mark.parametrize(
    "connection",
    [as_json(AS_NUMBERS), as_json(AS_TEXT), as_uri(AS_NUMBERS), as_uri({"__extra__": json.dumps(AS_TEXT)})],
    ids=["JSON with numbers", "JSON with text", "URI", "URI with nested extra"],
)
def test_the_environment_gives_the_same_settings_as_json_and_as_uri(connection: str, monkeypatch: pytest.MonkeyPatch):
    assert settings_of(connection, monkeypatch) == SETTINGS


def test_a_uri_needs_no_scheme_for_the_real_server(monkeypatch: pytest.MonkeyPatch):
    uri = as_uri({"refresh_token": TOKEN}, authority="api.dotykacka.cz", scheme="")

    assert settings_of(uri, monkeypatch) == Settings("https://api.dotykacka.cz", TOKEN)


@pytest.mark.parametrize("blank", ["", "null", " "])
def test_blank_and_null_in_a_uri_mean_absent(blank: str, monkeypatch: pytest.MonkeyPatch):
    uri = as_uri(dict.fromkeys(CONN_FIELDS, blank) | {"refresh_token": TOKEN})

    assert settings_of(uri, monkeypatch) == Settings("http://127.0.0.1:8765", TOKEN)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("cloud_id", "1", 1),
        ("timeout", "1e2", 100.0),
        ("timeout", "0.5", 0.5),
        ("max_concurrency", "8.0", 8),
        ("requests_per_minute", "600", 600.0),
    ],
)
def test_a_uris_numbers_mean_the_same_as_text_in_a_task_and_decoded_by_airflows_core(
    field: str, text: str, value: float, monkeypatch: pytest.MonkeyPatch
):
    uri = as_uri({"refresh_token": TOKEN, field: text})

    assert getattr(settings_of(uri, monkeypatch), field) == value
    assert getattr(settings_by_core(uri), field) == value


@pytest.mark.parametrize(("text", "value"), [('"1"', 1), ("1e5", 100000), ("1.0", 1), ("null", None), ('""', None)])
def test_a_cloud_id_survives_what_airflows_core_makes_of_it(text: str, value: int | None):
    assert settings_by_core(as_uri({"refresh_token": TOKEN, "cloud_id": text})).cloud_id == value


@pytest.mark.parametrize("token", ["1", "1e5", "true", "12345678901234567890123456789012", "[1]"])
def test_a_token_that_airflows_core_turned_into_something_else_recommends_json(token: str):
    with pytest.raises(DotyposConfigurationError, match=r"^Refresh Token arrived as .* JSON instead"):
        settings_by_core(as_uri({"refresh_token": token}))


def test_a_digits_only_token_is_good_as_json(monkeypatch: pytest.MonkeyPatch):
    digits = "12345678901234567890123456789012"

    assert settings_of(as_json({"refresh_token": digits}), monkeypatch).refresh_token == digits


def test_command_line_environment_and_secrets_backend_give_the_same_settings(home: AirflowHome):
    home.cli("connections", "add", "cli_json", "--conn-json", as_json(AS_NUMBERS))
    home.cli("connections", "add", "cli_uri", "--conn-uri", as_uri(AS_NUMBERS))
    file = home.path / "connections.json"
    file.write_text(json.dumps({"file_json": json.loads(as_json(AS_TEXT)), "file_uri": as_uri(AS_TEXT)}))
    names = ["cli_json", "cli_uri", "file_json", "file_uri", "environment"]

    # What an API server hands to tasks: it looks in its metadata database as well.
    printed = home.python(
        "-c",
        "import sys\n"
        "from airflow.models import Connection\n"
        "from airflow_provider_dotypos.api.settings import Settings\n"
        "for name in sys.argv[1:]:\n"
        "    found = Connection.get_connection_from_secrets(name)\n"
        "    settings = Settings.from_fields(host=found.host, port=found.port, extra=found.extra_dejson)\n"
        "    print('>', name, settings, settings.refresh_token, sep='|')",
        *names,
        AIRFLOW_CONN_ENVIRONMENT=as_uri(AS_TEXT),
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps({"connections_file_path": str(file)}),
    )

    found = [line for line in printed.splitlines() if line.startswith(">")]
    assert found == [f">|{name}|{SETTINGS}|{TOKEN}" for name in names]


HUGE = 10**5000
BAD_SWITCH = ("yes", 2, -1, 0.5, [], HUGE, "9" * 50)
BAD = [("cloud_id", value, "Cloud ID") for value in ("abc", 0, -1, 2**31, True, 1.5, "1.5", "12 3", [], "0", 10**5000)]
BAD += [("refresh_token", value, "Refresh Token") for value in (12345, True, 1.5, "a\nb", "a b", "dvě", "", None, {})]
BAD += [("timeout", value, "Timeout") for value in ("x", 0, -1, True, "nan", "inf", [], HUGE, 3601, 1e308, "9" * 5000)]
BAD += [("max_concurrency", value, "Max concurrency") for value in (1.5, 0, "0", -4, "four", True, 65, "1e9", HUGE)]
BAD += [("allow_http", value, "Allow plain HTTP") for value in BAD_SWITCH]
BAD += [("request_budget", value, "Request budget") for value in (150, "150", "150/30", "9/30min", "10/25h", [], HUGE)]
BAD += [
    ("webhook_secret", value, "Webhook Secret") for value in (12345678, True, "fifteen-letters", "a b" * 9, "ě" * 20)
]
BAD += [("requests_per_minute", value, "Requests per minute") for value in (0, "0", -1, "some", False, 60_001, HUGE)]


@pytest.mark.parametrize(
    ("field", "value", "label"), BAD, ids=lambda given: repr(given)[:20] if given != HUGE else "huge"
)
def test_what_a_field_can_not_hold_is_told_by_the_fields_name(field: str, value: object, label: str):
    with pytest.raises(DotyposConfigurationError, match=f"^{label}"):
        Settings.from_fields(host=SANDBOX, extra={"refresh_token": TOKEN, "allow_http": True, field: value})


@pytest.mark.parametrize("field", LIMITS)
def test_the_bounds_of_a_number_are_told_and_the_form_has_the_same(field: str):
    least, most, whole = LIMITS[field]
    schema = CONN_FIELDS[field]["schema"]
    assert (schema["minimum"], schema["maximum"], schema["type"][0] == "integer") == (least, most, whole)
    for value in (least, most):
        assert getattr(Settings.from_fields(extra={"refresh_token": TOKEN, field: value}), field) == value
    for value in (least - 1, most + 1):
        with pytest.raises(DotyposConfigurationError, match=rf" from {least:g} to {most:g}, not "):
            Settings.from_fields(extra={"refresh_token": TOKEN, field: value})


def test_every_number_of_the_form_has_bounds():
    numbers = {name for name, declared in CONN_FIELDS.items() if declared["schema"]["type"][0] in ("number", "integer")}
    assert numbers == set(LIMITS)


@pytest.mark.parametrize("threads", [0, 65, 1.5, True, "many", 10**400], ids=lambda given: repr(given)[:20])
def test_what_takes_the_place_of_max_concurrency_has_its_bounds(monkeypatch: pytest.MonkeyPatch, threads: Any):
    extra = {"refresh_token": TOKEN, "max_concurrency": 2}
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps({"conn_type": "dotypos", "extra": extra}))
    with pytest.raises(DotyposInputError, match=r"^max_concurrency must be a whole number from 1 to 64"):
        DotyposHook(max_concurrency=threads).get_conn()
    assert DotyposHook(max_concurrency=64).get_conn().settings.max_concurrency == 64
    assert DotyposHook().get_conn().settings.max_concurrency == 2
    with pytest.raises(DotyposInputError, match=r"^concurrency must be a whole number from 1 to 64"):
        DotyposToObjectStorageOperator(task_id="t", entity="orders", destination="file:///x", concurrency=threads)


@pytest.mark.parametrize("cloud_id", ["abc", 0, 2**31, 1.5, True, "None", " "], ids=repr)
def test_a_wrong_cloud_that_a_task_gives_isnt_the_connections(monkeypatch: pytest.MonkeyPatch, cloud_id: Any):
    """`overrides`: a template that rendered to nothing doesn't mean the connection's cloud either."""
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", as_json(AS_NUMBERS))
    with pytest.raises(DotyposInputError, match=r"^cloud_id must be the cloud's number"):
        DotyposHook(cloud_id=cloud_id).get_conn()


def test_a_connection_of_another_type_is_told(monkeypatch: pytest.MonkeyPatch):
    given = {**json.loads(as_json({})), "conn_type": "http"}
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(given))
    with pytest.raises(DotyposConfigurationError, match=r"is of another type \(http\), not dotypos: name one"):
        DotyposHook().get_conn()
    works, message = DotyposHook().test_connection()
    assert not works
    assert "another type (http)" in message


def test_a_connection_without_a_type_is_taken(monkeypatch: pytest.MonkeyPatch):
    given = {name: value for name, value in json.loads(as_json(AS_NUMBERS)).items() if name != "conn_type"}
    assert settings_of(json.dumps(given), monkeypatch) == SETTINGS


@pytest.mark.parametrize(
    ("extra", "error", "message"),
    [
        ({"refreshtoken": TOKEN}, DotyposMissingTokenError, "'refreshtoken' .did you mean 'refresh_token'?"),
        ({"refresh_token": TOKEN, "cloudID": 5}, DotyposConfigurationError, "'cloudID' .did you mean 'cloud_id'?"),
    ],
)
def test_a_typo_in_the_name_of_what_is_missing_is_part_of_the_error(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], error: type[Exception], message: str
):
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", as_json(extra))
    with pytest.raises(error, match=f"is missing in the Airflow connection.*holds {message}") as raised:
        DotyposHook().request("GET", "branches")
    assert TOKEN not in str(raised.value)


def test_a_typo_in_the_name_of_what_can_be_omitted_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    extra = {**AS_NUMBERS, "timeuot": 5, "x" * 40: 1}
    hook_settings = settings_of(as_json(extra), monkeypatch)
    assert hook_settings.timeout == 30
    assert "'dotypos_form': The connection's extra holds 'timeuot' (did you mean 'timeout'?)" in caplog.text
    assert "a name of 40 characters, which nothing reads" in caplog.text  # it may be a misplaced secret


def test_every_extra_of_the_form_is_known(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    settings_of(as_json({**dict.fromkeys(CONN_FIELDS), **AS_NUMBERS}), monkeypatch)
    assert not caplog.records


@pytest.mark.parametrize(
    "host", [10**5000, 5, True, ["https://api.dotykacka.cz"]], ids=lambda given: type(given).__name__
)
def test_a_base_url_that_is_no_text_is_told(host: object):
    with pytest.raises(DotyposConfigurationError, match=r"^API base URL must look like"):
        Settings.from_fields(host=host, extra={"refresh_token": TOKEN})


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("cloud_id", "123 ", 123),
        ("cloud_id", "123.0", 123),
        ("cloud_id", 2**31 - 1, 2**31 - 1),
        ("refresh_token", f" {TOKEN}\n", TOKEN),
        ("timeout", "60", 60.0),
        ("timeout", 60, 60.0),
        ("timeout", "", 60.0),
        ("max_concurrency", "4", 4),
        ("max_concurrency", None, 4),
        ("requests_per_minute", "0.5", 0.5),
        ("requests_per_minute", None, None),
        ("request_budget", "150/30min", Budget(150, 1800)),
        ("request_budget", " 150 / 30 MIN ", Budget(150, 1800)),
        ("request_budget", "150/1800s", Budget(150, 1800)),
        ("request_budget", "150/0.5h", Budget(150, 1800)),
        ("request_budget", "5000/h", Budget(5000, 3600)),
        ("request_budget", "30/30min each", Budget(30, 1800, each=True)),
        ("request_budget", "", None),
        ("webhook_secret", " sixteen-letters.\n", "sixteen-letters."),
        ("webhook_secret", "", None),
    ],
)
def test_what_a_field_can_hold_is_taken_as_it_is_meant(field: str, value: object, meant: object):
    settings = Settings.from_fields(extra={"refresh_token": TOKEN, field: value})

    assert getattr(settings, field) == meant


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        (None, None, "https://api.dotykacka.cz"),
        ("", "", "https://api.dotykacka.cz"),
        ("api.dotykacka.cz", 0, "https://api.dotykacka.cz"),
        ("https://api.dotykacka.cz/", 443, "https://api.dotykacka.cz"),
        ("https://api.dotykacka.cz/v2", "443", "https://api.dotykacka.cz"),
        ("https://api.dotykacka.cz/v2/", None, "https://api.dotykacka.cz"),
        (" HTTPS://API.dotykacka.cz ", None, "https://api.dotykacka.cz"),
        ("api.dotykacka.cz:8443", None, "https://api.dotykacka.cz:8443"),
        ("https://api.dotykacka.cz", 8443, "https://api.dotykacka.cz:8443"),
        ("https://proxy.example.com/dotypos/v2", None, "https://proxy.example.com/dotypos"),
        ("http://localhost:8765", None, "http://localhost:8765"),
        ("http://127.0.0.1", 8765, "http://127.0.0.1:8765"),
        ("http://[::1]:8765", None, "http://[::1]:8765"),
        ("http://[::1]", "8765", "http://[::1]:8765"),
    ],
)
def test_hosts_and_ports_as_people_write_them(host: object, port: object, base_url: str):
    assert Settings.from_fields(host=host, port=port, extra={"refresh_token": TOKEN}).base_url == base_url


@pytest.mark.parametrize(
    ("host", "cure"),
    [
        ("ftp://api.dotykacka.cz", "must look like https://api.dotykacka.cz"),
        ("http://api.dotykacka.cz", "must start with https://"),
        ("http://10.0.0.1:8765", "must start with https://"),
        ("http://127.0.0.1.example.com", "must start with https://"),
        ("https://user:pass@api.dotykacka.cz", "must not hold a user name or a password"),
        ("https://", "must look like https://api.dotykacka.cz"),
        ("https://api.dotykacka.cz:port", "must look like"),
        ("https://api.dotykacka.cz:70000", "must look like"),
        ("https://[::1", "must look like"),
        ("https://api.dotykacka.cz/?a=b", "must look like"),
        ("https://api.dotykacka.cz/#v2", "must look like"),
        ("https://api. dotykacka.cz", "must look like"),
        ("https://api.doty\nkacka.cz", "must look like"),
        ("::1", "must look like"),
    ],
)
def test_a_base_url_that_can_not_be_says_what_it_must_be(host: str, cure: str):
    with pytest.raises(DotyposConfigurationError, match=r"^API base URL") as raised:
        Settings.from_fields(host=host, extra={"refresh_token": TOKEN})

    assert cure in str(raised.value)
    assert "pass@" not in str(raised.value)


@pytest.mark.parametrize("on", [True, "true", "True", " TRUE ", 1, "1"], ids=repr)
def test_plain_http_reaches_a_sandbox_on_another_host_by_a_switch(on: object):
    settings = Settings.from_fields(host=SANDBOX, extra={"refresh_token": TOKEN, "allow_http": on})
    assert settings.base_url == SANDBOX


@pytest.mark.parametrize("off", [False, "false", "False", 0, "0", None, "", "null"], ids=repr)
def test_without_the_switch_the_error_names_it(off: object):
    with pytest.raises(DotyposConfigurationError, match=r"in the clear to sandbox\).*set Allow plain HTTP .*_http"):
        Settings.from_fields(host=SANDBOX, extra={"refresh_token": TOKEN, "allow_http": off})


@pytest.mark.parametrize(
    "host", ["api.dotykacka.cz", "API.Dotykacka.CZ.", "dotypos.com", "admin.dotykacka.cz", "new.api.dotypos.com"]
)
def test_no_switch_sends_a_token_in_the_clear_to_dotypos(host: str):
    with pytest.raises(DotyposConfigurationError, match="Dotypos's own servers are never reached by http"):
        Settings.from_fields(host=f"http://{host}", extra={"refresh_token": TOKEN, "allow_http": True})


@pytest.mark.parametrize("port", [65536, -1, "https", 1.5, True, HUGE], ids=lambda given: type(given).__name__)
def test_a_port_that_can_not_be_is_told(port: object):
    with pytest.raises(DotyposConfigurationError, match=r"^Port"):
        Settings.from_fields(port=port, extra={"refresh_token": TOKEN})


@pytest.mark.parametrize("field", [*LIMITS, "cloud_id", "request_budget", "allow_http"])
def test_a_token_pasted_into_the_wrong_field_is_not_shown(field: str):
    with pytest.raises(DotyposConfigurationError) as raised:
        Settings.from_fields(host=SANDBOX, extra={"refresh_token": TOKEN, "allow_http": True, field: TOKEN})

    assert TOKEN[:8] not in str(raised.value)


def test_settings_do_not_show_their_secrets():
    assert TOKEN not in repr(SETTINGS)
    assert TOKEN not in repr(Settings.from_fields(extra={"refresh_token": "other", "webhook_secret": TOKEN}))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Bar\n ERROR  rm -rf\x1b[31m", "Bar ERROR rm -rf [31m"),
        ("Kavárna U Dvou koček", "Kavárna U Dvou koček"),
        (24, "24"),
        ("x" * 90, "x" * 60),
        ("", None),
        (None, None),
        (["Bar"], None),
    ],
)
def test_a_clouds_name_is_one_short_line_and_never_at_fault(value: object, name: str | None):
    assert Settings.from_fields(extra={"refresh_token": TOKEN, "cloud_name": value}).cloud_name == name


@pytest.mark.parametrize(("own", "name"), [("310101001.0", "Bar"), (310101001.0, "Bar"), ("2", None), ("no id", None)])
def test_a_clouds_name_goes_with_its_own_cloud_only(own: object, name: str | None):
    extra = {"refresh_token": TOKEN, "cloud_id": own, "cloud_name": "Bar"}
    assert Settings.from_fields(extra=extra, cloud_id=310101001).cloud_name == name


LABELS = ("API base URL", "Port", *(declared["label"] for declared in CONN_FIELDS.values()))
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.lists(st.integers(), max_size=2),
    st.from_regex(r"(https?|ftp)?(://)?[\[\]@:/?#a-z0-9. -]{0,20}", fullmatch=True),
    st.sampled_from(["", "null", "None", "1", "1e5", "true", "0x1", "\uff11", "1_000", 10**400]),
)


@settings(deadline=None)
@given(
    host=ANYTHING,
    port=ANYTHING,
    cloud_id=ANYTHING,
    extra=st.dictionaries(st.sampled_from(sorted(CONN_FIELDS)), ANYTHING),
    token=st.sampled_from([TOKEN, f" {TOKEN}", f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", None]),
)
def test_any_fields_give_settings_or_an_error_that_names_one_and_shows_no_token(
    host: object, port: object, cloud_id: object, extra: dict[str, object], token: str | None
):
    fields = {"refresh_token": token, **extra} if token else extra
    error = ""
    found = None
    try:
        found = Settings.from_fields(host=host, port=port, extra=fields, cloud_id=cloud_id)
    except (DotyposConfigurationError, DotyposInputError) as refusal:
        error = str(refusal)

    assert TOKEN not in error
    if found is None:
        assert error.startswith((*LABELS, "cloud_id must be"))
    else:
        assert found.base_url.startswith(("https://", "http://"))
        assert not found.base_url.endswith("/")
        assert found.cloud_id is None or 0 < found.cloud_id < 2**31
        assert 0 < found.timeout <= 3600
        assert found.max_concurrency >= 1
        assert found.cloud_name is None or (found.cloud_name.isprintable() and 0 < len(found.cloud_name) <= 60)
        assert found.requests_per_minute is None or found.requests_per_minute > 0
