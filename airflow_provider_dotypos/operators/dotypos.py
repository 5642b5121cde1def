"""Any one call to Dotypos, as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _compat

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.api.http import Answer
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook

#: The largest result that is put into XCom, in bytes of JSON: it lives in Airflow's metadata database.
MAX_RESULT_BYTES = 64 * 1024


class DotyposOperator(BaseOperator):
    """Make one authorized v2 call and return its decoded answer.

    Meant for single objects and small lists. Whole entities go to files with ``DotyposToObjectStorageOperator``.

    :param path: below ``/v2/clouds/{cloud}``, such as ``branches``; with a leading ``/`` below ``/v2`` (``/clouds``).
        (templated)
    :param method: HTTP method. A write that may have been carried out is never repeated. (templated)
    :param query: query parameters, not encoded. (templated; ``params`` is what Airflow calls a task's own parameters)
    :param json: the request's body: an object or an array, or JSON text of one, as a template renders it
        (``{{ rows | tojson }}``), which is sent as it stands. (templated)
    :param headers: further headers, such as ``If-Match``. (templated)
    :param response_filter: makes the task's result from the decoded answer. Numbers in it are text, as the API sends
        them.
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :raises AirflowFailException: what a retry can't cure: a refused token, a forbidden cloud, a bad request, a write
        whose outcome is unknown or whose answer can't be read, or the result of a read that is over 64 KiB of JSON. (A
        write's oversized answer is left out instead: it is done.)

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
        self._hook: DotyposHook | None = None

    def execute(self, context: Context) -> Any:
        """Make the call and return its (filtered) result."""
        from airflow_provider_dotypos.api.body import read_text

        with _compat.airflow_failures(self.dotypos_conn_id):
            self._hook = self._new_hook()
            body = read_text(self.json) if isinstance(self.json, str) else self.json
            return self._hook.request(
                self.method, self.path, params=self.query, json=body, headers=self.headers, decode=self._result
            )

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _new_hook(self) -> DotyposHook:
        from airflow_provider_dotypos.hooks.dotypos import DotyposHook

        return DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)

    def _result(self, answer: Answer) -> Any:
        decoded = answer.json()
        self.log.info("%s %s answered with %s.", self.method, self.path, _described(decoded))
        return self._for_xcom(self.response_filter(decoded) if self.response_filter else decoded)

    def _for_xcom(self, result: Any) -> Any:
        import msgspec

        from airflow_provider_dotypos.api.errors import DotyposInputError

        if not self.do_xcom_push or (size := len(msgspec.json.encode(result))) <= MAX_RESULT_BYTES:
            return result
        if self.method.upper() != "GET":
            self.log.warning("The answer (%d bytes) is too large for XCom and is left out; the write is done.", size)
            return None
        raise DotyposInputError(
            f"the result of GET {self.path} is {size} bytes; XCom takes {MAX_RESULT_BYTES} here. Take what you need "
            "with response_filter, set do_xcom_push=False, or extract the entity to files with "
            "DotyposToObjectStorageOperator"
        )


def _described(answer: Any) -> str:
    """Return what kind of answer came, without its content."""
    rows = answer.get("data") if isinstance(answer, dict) else answer
    if isinstance(rows, list):
        return f"{len(rows)} rows"
    return "an empty body" if answer is None else "one object"
