"""Errors go from process to process (Celery, ExternalPython, multiprocessing) and from thread to thread."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

import airflow_provider_dotypos
from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api.auth import Tokens
from airflow_provider_dotypos.api.errors import Refusal, error_for
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.pos_errors import Doubt
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.retry_table import FOREIGN, PASSES, SILENT
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.exceptions import DotyposError
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from demo import children
from tests.api.flows import Played, run_alone, signing_in
from tests.conftest import NewClient

REFUSAL = Refusal(
    "POST", "/v2/x", 418, "REASON", "a message", (("vat", "bad"), (None, "worse")), retry_after=900.0, empty=False
)


def every_kind() -> list[type[DotyposError]]:
    """Return all errors of the family, wherever they are defined."""
    for module in pkgutil.walk_packages(airflow_provider_dotypos.__path__, "airflow_provider_dotypos."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[DotyposError]) -> Iterator[type[DotyposError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return [kind for kind in dict.fromkeys(below(DotyposError)) if kind.__module__.startswith("airflow_provider")]


def example(kind: type[DotyposError]) -> DotyposError:
    """Return an error with something in each of its attributes."""
    if issubclass(kind, errors.DotyposApiError):
        error: DotyposError = kind(REFUSAL)
    elif issubclass(kind, errors.DotyposWriteError):
        error = kind("it failed", method="POST", path="/v2/x", sent=True, status=502)
    elif issubclass(kind, errors.DotyposResponseError):
        error = kind("it failed", reason=FOREIGN, status=403)
    elif issubclass(kind, errors.DotyposConnectionError):
        error = kind("it failed", sent=False, unreachable=True)
    elif issubclass(kind, errors.DotyposListsError):
        error = kind("it failed", {"orders": errors.DotyposWalkError("it failed")})
    elif issubclass(kind, errors.DotyposTillError):
        error = kind("it failed", reason=SILENT, sent=True)
        error.doubt = Doubt("it was sent", valid_until=1768478400000, sent=1)
    elif issubclass(kind, errors.DotyposPosActionError):
        error = kind("it failed", action="order/pay", code=3001, order_id="5", reason=PASSES)
    else:
        error = kind("it failed")
    error.connection = "shop_7"
    error.__dict__["noted"] = ["by somebody"]
    return error


WAYS: dict[str, Callable[[DotyposError], DotyposError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_error_arrives_with_all_it_holds(way: str) -> None:
    kinds = every_kind()
    assert {kind.__name__ for kind in kinds} >= set(errors.__all__)
    for kind in kinds:
        error = example(kind)
        arrived = WAYS[way](error)
        assert type(arrived) is kind
        assert arrived is not error
        assert (str(arrived), repr(arrived), arrived.args) == (str(error), repr(error), error.args)
        assert repr(vars(arrived)) == repr(vars(error))
        assert (arrived.permanent, arrived.passing) == (error.permanent, error.passing)


def test_an_import_error_keeps_its_own_fields() -> None:
    from airflow_provider_dotypos.transfers.files.formats.parquet import PyarrowMissingError

    error = PyarrowMissingError("pyarrow is missing", name="pyarrow", path="/x")
    arrived = pickle.loads(pickle.dumps(error))
    assert (arrived.msg, arrived.name, arrived.path) == ("pyarrow is missing", "pyarrow", "/x")


def test_an_error_with_a_long_history_arrives() -> None:
    error: DotyposError = error_for("GET", "/v2/x", 503, {}, b"")
    for _ in range(5000):
        try:
            raise error from copy.copy(error)
        except DotyposError as caught:
            error = copy.copy(caught)
            error.__cause__ = caught
    arrived = pickle.loads(pickle.dumps(error))
    assert str(arrived) == str(error)


def fail() -> None:
    raise error_for("POST", "/v2/x", 400, {}, b'{"violations": [{"fieldName": "vat", "message": "bad"}]}')


def test_another_process_raises_what_it_raised() -> None:
    with (
        ProcessPoolExecutor(1, get_context("spawn"), children.end_with_parent) as pool,
        pytest.raises(errors.DotyposValidationError) as caught,
    ):
        pool.submit(fail).result()
    assert caught.value.violations == (("vat", "bad"),)


def test_each_caller_that_waited_for_a_failed_sign_in_has_an_error_of_its_own() -> None:
    tokens = Tokens()
    sign_ins: list[int] = []

    def sign_in() -> str:
        sign_ins.append(1)
        raise error_for("POST", "/v2/signin/token", 401, {}, b'{"reason": "INVALID_REFRESH_TOKEN"}')

    # All ask before the first one fails.
    renewals = [tokens.renewal(None, signing_in(sign_in)) for _ in range(9)]
    failures = []
    for renewal in renewals:
        with pytest.raises(errors.DotyposAuthenticationError) as caught:
            run_alone(tokens, renewal)
        failures.append(caught.value)
    assert len(sign_ins) == 1
    assert len({id(error) for error in failures}) == 9
    assert len({str(error) for error in failures}) == 1
    depths = [len(traceback.extract_tb(error.__traceback__)) for error in failures]
    assert depths[1:] == [3] * 8
    assert all(error.__cause__ is None and error.__context__ is None for error in failures[1:])


def test_giving_up_leaves_the_error_that_others_hold_as_it_was() -> None:
    failure = error_for("POST", "/v2/signin/token", 503, {}, b"")
    before = str(failure)

    def fail(request: Request) -> Answer:
        raise failure

    client = Exchange(Settings("http://127.0.0.1:9", "r" * 32), patience=Patience(0, 0))
    said = set()
    for _ in range(3):
        with pytest.raises(errors.DotyposServerError) as caught:
            Played(fail).run(client.flow("GET", "/clouds", decode=Answer.json))
        said.add(str(caught.value))
        assert caught.value is not failure
        assert (caught.value.tries, caught.value.waited) == (1, pytest.approx(0, abs=1))
    assert (failure.tries, failure.waited) == (None, None)
    assert said == {f"{before} (gave up after 1 try in 0 s)"}
    assert str(failure) == before


def test_every_thread_says_once_how_often_it_tried(sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.faults.append(Fault("503", path="signin", times=10**6))
    client = new_client(Patience(1, 1), max_concurrency=8)

    def one(_: int) -> DotyposError:
        with pytest.raises(errors.DotyposServerError) as caught:
            client.call("GET", "branches", decode=Answer.json)
        return caught.value

    with ThreadPoolExecutor(8) as pool:
        failures = list(pool.map(one, range(8)))
    assert len({id(error) for error in failures}) == 8
    assert all(str(error).count("gave up after") == 1 for error in failures)
