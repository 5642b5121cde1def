"""One authorized call, as a flow of decisions without I/O.

What happens to a call reads from top to bottom in ``_Call``: try it as ``retry`` says; take a token; wait at the gate;
send; renew the token if that very token was refused, and send again; check and decode the answer.

A flow is a generator. It yields a step and is resumed with the step's result, or with its error, thrown in:

* ``Send`` asks for the answer to a request;
* ``Sleep`` asks for time to pass;
* ``Perform`` asks for the result of a function that may block;
* ``Alone`` asks for the result of another flow, of which only one runs at a time for the same owner. It is a step of
  its own because a generator that is closed can't yield any more, and so couldn't release a lock.

``client`` performs the steps in threads, ``aclient`` on an event loop. Both know nothing of the protocol.

https://docs.api.dotypos.com/api-reference/general/methods, /authorization
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

from tenacity import DoAttempt, DoSleep, RetryCallState

from airflow_provider_dotypos.api import auth, retry
from airflow_provider_dotypos.api.auth import AccessToken
from airflow_provider_dotypos.api.blocks import Permit
from airflow_provider_dotypos.api.body import encode_body
from airflow_provider_dotypos.api.channel import OpenRegister, open_channel
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConnectionError,
    DotyposError,
    DotyposInputError,
    DotyposResponseError,
    DotyposUncertainWriteError,
    DotyposUnreadableAnswerError,
    DotyposWriteError,
)
from airflow_provider_dotypos.api.gate import Passage
from airflow_provider_dotypos.api.headers import checked_headers
from airflow_provider_dotypos.api.http import LARGEST_ANSWER, Answer, Request, check_answer, decode_answer, refusal_of
from airflow_provider_dotypos.api.meter import Meter
from airflow_provider_dotypos.api.paths import checked_method, encode, own_path, resolve
from airflow_provider_dotypos.api.refusals import is_foreign
from airflow_provider_dotypos.api.retry_table import LONGEST_RETRY_AFTER, Verdict, verdict
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.steps import Alone, Flow, Send, Sleep
from airflow_provider_dotypos.api.window import Clocks

log = logging.getLogger(__name__)

T = TypeVar("T")


class Exchange:
    """What decides about a client's calls. The clients add how a flow is performed.

    :param settings: where and as whom to call.
    :param on_token: receives every new access token, so that it can be masked in logs.
    :param patience: how long to keep trying after faults and while throttled.
    :param largest_answer: size in bytes above which an answer is an error.
    :param ledger: opens the ledger of a request budget. Defaults to none: the process counts for itself.
    :param observer: receives each try's request, first with ``None``, and then with its answer, before that is checked.
    :param meter: counts calls for people. Defaults to none.
    :ivar requests: how many requests have left so far, sign-ins included.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_token: Callable[[str], None] | None = None,
        patience: retry.Patience | None = None,
        largest_answer: int = LARGEST_ANSWER,
        observer: Callable[[Request, Answer | None], None] | None = None,
        ledger: OpenRegister | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.settings = settings
        self.patience = patience or retry.Patience()
        self._on_token = on_token
        self._observer = observer
        self._meter = meter
        self._largest_answer = largest_answer
        self._channel = open_channel(settings)
        each = settings.request_budget is not None and settings.request_budget.each
        self._ledger = None if each else ledger
        self.requests = 0
        self._set_up()

    def _set_up(self) -> None:
        """Get ready what a driver needs of its own."""

    def now(self) -> datetime:
        """Return the earlier of the local clock and the server's (UTC)."""
        return self.clocks().now

    def clocks(self) -> Clocks:
        """Return the time here, and at the server by the answers that this process has had from it."""
        return Clocks(datetime.now(timezone.utc), self._channel.server_clock)

    @property
    def knows_cloud(self) -> bool:
        """Whether an answer has shown this process that the settings' cloud exists."""
        return self._channel.knows_cloud(self.settings.require_cloud_id())

    def note_cloud(self) -> None:
        """Note that an answer has shown that the settings' cloud exists."""
        self._channel.note_cloud(self.settings.require_cloud_id())

    def flow(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        decode: Callable[[Answer], T],
        timeout: float = 0.0,
        harmless: bool = False,
    ) -> Flow[T]:
        """Return the flow of one call (see ``DotyposClient.call``).

        :param timeout: seconds that its answer may take at least, whatever the settings say.
        :param harmless: whether the call changes nothing although it is a POST, so that it can be sent again.
        :raises DotyposInputError: if the path, the method, the body or a header can't be sent.
        """
        known_method = checked_method(method)
        below, cloud_id = resolve(path, self.settings)
        query = encode(params)
        body = None if json is None else encode_body(json)
        sent = {"Accept": "application/json"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= checked_headers(headers, with_body=body is not None)
        url = f"{self.settings.base_url}/v2{quote(below, safe='/-._~:@,')}" + (f"?{query}" if query else "")
        request = Request(
            *(known_method, f"/v2{below}", url, sent, body),
            timeout=max(timeout, self.settings.timeout),
            largest_answer=self._largest_answer,
            harmless=harmless,
        )
        return _Call(self, request, cloud_id, decode).flow()

    def url_flow(self, url: str, shown: str, *, decode: Callable[[Answer], T]) -> Flow[T]:
        """Return the flow of a GET of a whole address that an answer has named.

        :param shown: what messages show in its place, as the address may be a key.
        :raises DotyposInputError: if it isn't on the API's own host. No other one gets a token.
        """
        path = own_path(url, self.settings)
        if path is None:
            raise DotyposInputError(f"{shown} isn't on the API's own host, so no token may go there")
        origin = urlsplit(self.settings.base_url)
        sent = {"Accept": "application/json"}
        whole = f"{origin.scheme}://{origin.netloc}{path}"
        request = Request("GET", shown, whole, sent, None, self.settings.timeout, self._largest_answer)
        return _Call(self, request, self.settings.cloud_id, decode).flow()

    def _give_back(self) -> Flow[None]:
        """Return the flow that gives back what was claimed of the request budget and not used."""
        for spending in self._channel.spendings(self._ledger):
            yield from spending.give_back()

    def sign_in_flow(self) -> Flow[None]:
        """Return the flow that signs in for the settings' cloud, if there is no valid token yet."""
        cloud_id = self.settings.cloud_id
        return _SignIn(self, auth.sign_in_request(self.settings, cloud_id), cloud_id, lambda answer: None).flow()


class _Call(Generic[T]):
    """One call of a client, from its first try to its result."""

    def __init__(
        self, exchange: Exchange, request: Request, cloud_id: int | None, decode: Callable[[Answer], T]
    ) -> None:
        self._exchange = exchange
        self._settings = exchange.settings
        self._request = request
        self._cloud_id = cloud_id
        self._decode = decode
        gate, self._tokens = exchange._channel.lane(cloud_id)
        self._passage = Passage(gate, exchange.settings.requests_per_minute)
        self._noted = ""

    def flow(self) -> Flow[T]:
        """Try until it succeeds, or until it is given up."""
        policy = retry.policy(
            self._exchange.patience,
            self._passage,
            before_sleep=self._note_failure,
            has_answered=lambda: self._exchange._channel.has_answered,
        )
        policy.begin()
        state = RetryCallState(policy, None, (), {})
        while True:
            step = policy.iter(state)
            if isinstance(step, DoAttempt):
                try:
                    state.set_result((yield from self._try()))
                except DotyposError:
                    state.set_exception(sys.exc_info())  # type: ignore[arg-type]
            elif isinstance(step, DoSleep):
                state.prepare_for_next_attempt()
                yield Sleep(step)
            else:
                return step  # type: ignore[no-any-return]

    def _note_failure(self, error: DotyposError, seconds: float, tries: int) -> None:
        if isinstance(error, DotyposApiError) and error.status in (429, 503):
            if error.retry_after is None:
                self._passage.gate.close(seconds)
            else:  # without this call's jitter: every call adds its own
                self._passage.gate.close_as_asked(error.retry_after)
        failure = str(error)
        what = "the same again" if failure == self._noted else failure  # else a log repeats its cure at each try
        log.warning("Trying %s again in %.1f s (try %d): %s", self._request, seconds, tries + 1, what)
        self._noted = failure

    def _try(self) -> Flow[T]:
        answer = yield from self._authorized()
        try:
            return decode_answer(self._request, answer, self._decode)
        except Exception as error:
            if self._request.safe:
                raise
            raise _unreadable(self._request, answer, error) from error

    def _authorized(self) -> Flow[Answer]:
        """Send the request with a token. If that very token is refused, renew it, and send once more."""
        self._observe(None)
        token = self._tokens.latest
        if token is None or token.due:
            token = yield from self._renewed(token)
        answer = yield from self._send_signed(token)
        if auth.token_refused(answer):
            renewed = self._tokens.in_place_of(token) or (yield from self._renewed(token, replacing=True))
            if renewed is not token:
                token = renewed
                answer = yield from self._send_signed(token)
        self._observe(answer)
        return check_answer(self._request, answer, self._secrets(token))

    def _renewed(self, stale: AccessToken | None, *, replacing: bool = False) -> Flow[AccessToken]:
        token: AccessToken = yield Alone(
            self._tokens, self._tokens.renewal(stale, self._sign_in(), replacing=replacing)
        )
        return token

    def _sign_in(self) -> Flow[str]:
        request = auth.sign_in_request(self._settings, self._cloud_id)
        # A sign-in that is let through says nothing of the cloud's other calls.
        answer = yield from self._send(request, opens=False)
        token = auth.token_issued(request, answer, self._settings, self._cloud_id)
        if self._exchange._on_token:
            self._exchange._on_token(token)
        return token

    def _send_signed(self, token: AccessToken) -> Flow[Answer]:
        request = self._request
        try:
            answer = yield from self._send(request.signed(token.value))
        except DotyposConnectionError as error:
            if verdict(error, safe=request.safe) is not Verdict.ASK:
                raise
            raise _uncertain(request, str(error)) from None
        if not request.safe and answer.status >= 400:
            refusal = refusal_of(request, answer, self._secrets(token))
            if verdict(refusal, safe=False) is Verdict.ASK:
                raise _uncertain(request, str(refusal), answer.status)
        return answer

    def _send(self, request: Request, *, opens: bool = True) -> Flow[Answer]:
        permit = yield from self._turn()
        sent = True
        meter = self._exchange._meter
        self._exchange.requests += 1
        if meter is not None:
            meter.sent(self._cloud_id)
        try:
            answer: Answer = yield Send(request)
        except DotyposError as error:
            sent = error.sent
            raise
        finally:
            if permit is not None:
                permit.end(sent=sent)
        if answer.status not in (502, 504) and not is_foreign(answer.status, answer.body):  # else a gateway's
            self._exchange._channel.note_answer()
        if not request.finds_busy(answer):
            throttled = answer.status in (429, 503)
            self._passage.answered(throttled=throttled, opens=opens)
            if throttled and meter is not None:
                meter.throttled(self._cloud_id, answer.status)
        self._exchange._channel.note_date(answer.headers.get("Date"))
        return answer

    def _turn(self) -> Flow[Permit | None]:
        """Wait until a request may leave, by the budget and by the gate; return its permit, if there is a budget."""
        while True:
            permit = yield from self._permit()
            try:
                for seconds in self._passage.waits():
                    yield Sleep(seconds)
                if permit is None or permit.leave():
                    return permit
            except BaseException:
                if permit is not None:
                    permit.give_back()
                raise

    def _permit(self) -> Flow[Permit | None]:
        budget, patience = self._settings.request_budget, self._exchange.patience
        if budget is None:
            return None
        spending = self._exchange._channel.spending(self._cloud_id, self._exchange._ledger)
        longest_wait = min(LONGEST_RETRY_AFTER, patience.throttling)
        # A block is for any request, and not all have the timeout of a sign-in.
        meter = self._exchange._meter
        report = None if meter is None else functools.partial(meter.budgeted, self._cloud_id)
        return (yield from spending.permit(budget, self._settings.timeout, longest_wait, report))

    def _observe(self, answer: Answer | None) -> None:
        if self._exchange._observer:
            self._exchange._observer(self._request, answer)

    def _secrets(self, token: AccessToken) -> tuple[str, str]:
        return token.value, self._settings.refresh_token


class _SignIn(_Call[None]):
    """A sign-in ahead of the call that needs it."""

    def _try(self) -> Flow[None]:
        token = self._tokens.latest
        if token is None or token.due:
            yield from self._renewed(token)


def _uncertain(request: Request, why: str, status: int | None = None) -> DotyposUncertainWriteError:
    return DotyposUncertainWriteError(
        f"{request} may or may not have been carried out. It was not repeated; check whether it was done before you "
        f"repeat it. What happened: {why.removeprefix(f'{request}: ')}",
        method=request.method,
        path=request.path,
        status=status,
    )


def _unreadable(request: Request, answer: Answer, error: Exception) -> DotyposWriteError:
    """Return the error for a write that is done, whatever its answer is good for; unless a web page came in its place.

    A page that says 200 is that of something in between, such as a sign-in to a network.
    """
    if answer.body.lstrip().startswith(b"<"):
        return _uncertain(request, str(error), answer.status)
    what = (
        str(error)
        if isinstance(error, DotyposResponseError)
        else f"{request}: its answer could not be made into a result ({type(error).__name__}); mend response_filter or "
        "decode."
    )
    return DotyposUnreadableAnswerError(
        f"{what} The write itself was answered {answer.status}, so it is done; don't repeat it.",
        method=request.method,
        path=request.path,
        status=answer.status,
    )
