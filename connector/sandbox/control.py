"""The control interface of the sandbox: a small JSON API on a port of its own, for tests and for the demo.

It stands beside the services, never under their paths, and answers only those who know its key (header
`x-sandbox-key`). `GET /` lists what there is.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connector.clock import MovableClock
from connector.sandbox.acs import Acs
from connector.sandbox.dataverse import Dataverse, Rights
from connector.sandbox.event_grid import EventGrid
from connector.sandbox.events import Disorder
from connector.sandbox.faults import Fault, Faults
from connector.sandbox.handshake import HandshakeError

KEY_HEADER = "x-sandbox-key"


@dataclass(frozen=True)
class Ask:
    """A request to the control interface."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, Any]


Handler = Callable[[Ask], Any]


class Control:
    """The routes; each handler takes an `Ask` and returns what becomes the JSON answer."""

    def __init__(
        self, *, key: str, clock: MovableClock, acs: Acs, dataverse: Dataverse, event_grid: EventGrid, faults: Faults
    ) -> None:
        self._key = key
        self._clock = clock
        self._acs = acs
        self._dataverse = dataverse
        self._grid = event_grid
        self._faults = faults
        self._table = [*self._fault_routes(), *self._service_routes(), *self._grid_routes()]
        routes = [Route(path, self._endpoint(handler), methods=[verb]) for verb, path, _, handler in self._table]
        # An Event Grid validation URL is opened by people, who have no key; the code in it cannot be guessed.
        validation = Route("/event-grid/validate", self._validate, methods=["GET"])
        self.app = Starlette(routes=[*routes, validation])

    def _fault_routes(self) -> list[tuple[str, str, str, Handler]]:
        return [
            ("GET", "/", "this list", self._list),
            ("GET", "/clock", "the time", self._time),
            ("POST", "/clock", "{advance: seconds} moves the clock", self._advance),
            ("GET", "/faults/{service}", "the faults still to come", self._pending),
            (
                "POST",
                "/faults/{service}",
                "{status, headers, body | cut: before|after, method, path, times}",
                self._add,
            ),
            ("DELETE", "/faults/{service}", "everything works again", self._clear),
            ("DELETE", "/faults", "the same for all services", self._clear),
            ("POST", "/latency/{service}", "{milliseconds}", self._latency),
            ("POST", "/outage/{service}", "{outage: cut|unavailable|null}", self._outage),
            ("GET", "/requests", "the request log; ?service=", self._requests),
            ("DELETE", "/requests", "empties the log", self._forget_requests),
        ]

    def _service_routes(self) -> list[tuple[str, str, str, Handler]]:
        return [
            ("GET", "/mails", "accepted mails", self._mails),
            ("DELETE", "/mails", "empties the outbox", self._forget_mails),
            ("POST", "/calls", "{from, to}: someone calls; the IncomingCall event", self._call),
            ("POST", "/calls/{connection}/hang-up", "the caller of an answered call hangs up", self._hang_up),
            ("GET", "/redirects", "redirected calls", lambda _: self._acs.redirects),
            ("GET", "/rejects", "rejected calls", lambda _: self._acs.rejects),
            ("GET", "/presences", "rows of agent presence", self._presences),
            ("POST", "/webhooks", "registers a Dataverse webhook (fields of register_webhook)", self._webhook),
            ("GET", "/options/{service}", "options of acs or dataverse", self._options),
            ("POST", "/options/{service}", "{option: value, …}", self._set_options),
        ]

    def _grid_routes(self) -> list[tuple[str, str, str, Handler]]:
        return [
            ("POST", "/event-grid/subscriptions", "{url, event_types, begins_with, schema, …}", self._subscribe),
            ("GET", "/event-grid/subscriptions", "the subscriptions", lambda _: self._grid.subscriptions),
            ("GET", "/event-grid/attempts", "deliveries tried", lambda _: list(self._grid.attempts)),
            ("GET", "/event-grid/dead-letters", "events given up", lambda _: self._grid.dead_letters),
            ("POST", "/event-grid/disorder", "{duplicates, reverse, batch, gather_seconds, …}", self._disorder),
        ]

    def _endpoint(self, handler: Handler) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if not hmac.compare_digest(self._key.encode(), request.headers.get(KEY_HEADER, "").encode()):
                return _answer({"error": f"header {KEY_HEADER} is missing or wrong"}, 401)
            try:
                ask = Ask(request.path_params, request.query_params, _object(await request.body()))
                # In a thread: a subscription shakes hands with an endpoint, which must not stop the services.
                return _answer(await run_in_threadpool(handler, ask))
            except KeyError as error:
                return _answer({"error": f"missing or unknown: {error}"}, 400)
            except (ValueError, TypeError, HandshakeError) as error:
                return _answer({"error": str(error)}, 400)

        return endpoint

    async def _validate(self, request: Request) -> Response:
        if self._grid.confirm(request.query_params.get("code", "")):
            return PlainTextResponse("Webhook successfully validated as a subscription endpoint")
        return PlainTextResponse("Unknown or expired validation code", 400)

    def _list(self, ask: Ask) -> Any:
        del ask  # nothing to choose
        return {f"{verb} {path}": summary for verb, path, summary, _ in self._table}

    def _time(self, ask: Ask) -> Any:
        del ask  # nothing to choose
        return {"now": self._clock.now()}

    def _advance(self, ask: Ask) -> Any:
        self._clock.advance(float(ask.body["advance"]))
        return {"now": self._clock.now()}

    def _pending(self, ask: Ask) -> Any:
        return self._faults.pending(ask.path["service"])

    def _add(self, ask: Ask) -> Any:
        self._faults.add(ask.path["service"], Fault(**ask.body))
        return self._pending(ask)

    def _clear(self, ask: Ask) -> Any:
        self._faults.clear(ask.path.get("service"))

    def _latency(self, ask: Ask) -> Any:
        self._faults.set_latency(ask.path["service"], float(ask.body["milliseconds"]))

    def _outage(self, ask: Ask) -> Any:
        self._faults.set_outage(ask.path["service"], ask.body["outage"])

    def _requests(self, ask: Ask) -> Any:
        return [seen.as_json() for seen in self._faults.log(ask.query.get("service"))]

    def _forget_requests(self, ask: Ask) -> Any:
        del ask  # nothing to choose
        self._faults.clear_log()

    def _mails(self, ask: Ask) -> Any:
        del ask  # nothing to choose
        return self._acs.outbox

    def _forget_mails(self, ask: Ask) -> Any:
        del ask  # nothing to choose
        self._acs.email.clear()

    def _call(self, ask: Ask) -> Any:
        return self._acs.incoming_call(str(ask.body["from"]), str(ask.body["to"])).envelope("EventGridSchema")

    def _hang_up(self, ask: Ask) -> Any:
        self._acs.calls.hang_up(ask.path["connection"])

    def _presences(self, ask: Ask) -> Any:
        del ask  # nothing to choose
        return list(self._dataverse.rows.all("msdyn_agentstatus"))

    def _webhook(self, ask: Ask) -> Any:
        return self._dataverse.register_webhook(**ask.body)

    def _options(self, ask: Ask) -> Any:
        return self._options_of(ask.path["service"])

    def _set_options(self, ask: Ask) -> Any:
        options = self._options_of(ask.path["service"])
        if options is self._acs.options:
            self._acs.options.change(ask.body)
        else:
            _change(options, ask.body)
        return options

    def _options_of(self, service: str) -> Any:
        return {"acs": self._acs.options, "dataverse": self._dataverse.options}[service]

    def _subscribe(self, ask: Ask) -> Any:
        return self._grid.subscribe(**ask.body)

    def _disorder(self, ask: Ask) -> Any:
        self._grid.disorder = Disorder(**ask.body)
        return self._grid.disorder


def _change(options: Any, values: dict[str, Any]) -> None:
    """Sets fields of a dataclass by name; lists become what the field holds already (a frozen set, for one)."""
    known = {item.name for item in fields(options)}
    if unknown := values.keys() - known:
        raise ValueError(f"no such option: {', '.join(sorted(unknown))}")
    if "rights" in values:
        given = values["rights"].items()
        rights = {who: Rights(**{**what, "denied": frozenset(what.get("denied", ()))}) for who, what in given}
        values = {**values, "rights": rights}
    for name, value in values.items():
        old = getattr(options, name)
        setattr(options, name, frozenset(value) if isinstance(old, frozenset) and value is not None else value)


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body or b"{}")
    if not isinstance(value, dict):
        raise TypeError("the body must be a JSON object")
    return value


def _answer(value: Any, status: int = 200) -> Response:
    body = json.dumps(value if value is not None else {"done": True}, default=_plain, ensure_ascii=False)
    return Response(body, status, media_type="application/json")


def _plain(value: object) -> object:
    """What json cannot write by itself."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set | tuple):
        return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
