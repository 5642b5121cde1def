"""Any one call to Dotypos, as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.body import encode_body, read_text
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.headers import checked_headers
from airflow_provider_dotypos.api.paths import check_path, checked_method, encode
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, given, literals, refuse_empty
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.api.http import Answer

#: The largest result that goes into XCom, in bytes of JSON: XCom lives in Airflow's metadata database.
MAX_RESULT_BYTES = 64 * 1024

#: Arguments without which a write goes elsewhere, or does something else.
_NARROWING = ("cloud_id", "query", "json")


class DotyposOperator(BaseOperator):
    """Make one authorized v2 call and return its decoded answer.

    It is for single objects and small lists; ``DotyposToObjectStorageOperator`` writes whole entities into files.

    :param path: path below ``/v2/clouds/{cloud}``, such as ``branches``; with a leading ``/``, below ``/v2``
        (``/clouds``). (templated)
    :param method: HTTP method. A write that may have been carried out is never repeated. Defaults to ``GET``.
        (templated)
    :param query: query parameters, not encoded. It isn't called ``params``, which are a task's own parameters in
        Airflow. (templated)
    :param json: body of the request: an object or an array, or JSON text of one, which is sent as it is. A template
        renders such a text (``{{ rows | tojson }}``). (templated)
    :param headers: further headers, such as ``If-Match``. (templated)
    :param response_filter: makes the task's result from the decoded answer, in which numbers are text, as the API sends
        them. Defaults to the whole answer.
    :param cloud_id: the cloud to call. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :raises AirflowFailException: if a retry can't help: a refused token, a forbidden cloud, a bad request, a write
        whose outcome is unknown or whose answer can't be read, or a read whose result is over 64 KiB of JSON. A write
        with such a result returns ``None``, as it is done.

    https://docs.api.dotypos.com/api-reference/general/methods
    """

    template_fields: Sequence[str] = ("path", "method", "query", "json", "headers", "cloud_id", "dotypos_conn_id")
    template_fields_renderers = {"query": "json", "json": "json"}  # noqa: RUF012 (as Airflow declares it)
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        path: str,
        method: str = "GET",
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        response_filter: Callable[[Any], Any] | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.method = method
        self.query = query
        self.json = json
        self.headers = headers
        self.response_filter = response_filter
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._given = given(self, _NARROWING)
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> Any:
        """Make the call and return its result."""
        with airflow_failures(self.dotypos_conn_id, context):
            if str(self.method).upper() != "GET":  # empty text may be meant, null isn't
                refuse_empty(self, [name for name in _NARROWING if getattr(self, name) is None], self._given)
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)
            with closing(self._hook):
                return self._hook.request(
                    self.method,
                    self.path,
                    params=self.query,
                    json=self._body(),
                    headers=self.headers,
                    decode=self._result,
                )

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        if self.response_filter is not None and not callable(self.response_filter):
            raise DotyposInputError(f"response_filter must be a function, not a {type(self.response_filter).__name__}")
        if "method" in arguments:
            checked_method(self.method)
        if "path" in arguments:
            check_path(self.path)
        if "query" in arguments:
            encode(self.query, "query")
        if "headers" in arguments:
            checked_headers(self.headers, with_body=self.json is not None)
        if "json" in arguments and self.json is not None:
            encode_body(self._body())

    def _body(self) -> Any:
        return read_text(self.json) if isinstance(self.json, str) else self.json

    def _result(self, answer: Answer) -> Any:
        decoded = answer.json()
        self.log.info("%s %s answered with %s.", self.method, self.path, _described(decoded))
        return self._for_xcom(self.response_filter(decoded) if self.response_filter else decoded)

    def _for_xcom(self, result: Any) -> Any:
        if not self.do_xcom_push or (size := len(msgspec.json.encode(result))) <= MAX_RESULT_BYTES:
            return result
        if self.method.upper() != "GET":
            self.log.warning("The write is done; its answer (%d bytes) is too large for XCom and not returned.", size)
            return None
        raise DotyposInputError(
            f"the result of GET {self.path} is {size} bytes, and XCom takes {MAX_RESULT_BYTES} here. Pick what you "
            "need with response_filter, set do_xcom_push=False, or extract the entity to files with "
            "DotyposToObjectStorageOperator"
        )


def _described(answer: Any) -> str:
    """Return the kind of an answer, without its content."""
    rows = answer.get("data") if isinstance(answer, dict) else answer
    if isinstance(rows, list):
        return f"{len(rows)} rows"
    return "an empty body" if answer is None else "one object"
