"""The stand-in of Azure Communication Services as one ASGI app: the doorkeeper in front, the services behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connector.clock import Clock
from connector.sandbox.acs.callbacks import ISSUER, Callbacks, Signer
from connector.sandbox.acs.calls import Calls, Redirect, Reject
from connector.sandbox.acs.email import Email, Mail
from connector.sandbox.acs.numbers import Numbers
from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.acs.repeatability import Handler, Repeatability
from connector.sandbox.acs.reservations import Reservations
from connector.sandbox.acs.responses import Call, ServiceError
from connector.sandbox.acs.signature import Doorkeeper, check_date
from connector.sandbox.acs.sip import Sip
from connector.sandbox.courier import Courier
from connector.sandbox.entra import Tokens
from connector.sandbox.events import Event

# What the current official clients send, by service.
VERSIONS = {"numbers": "2025-06-01", "sip": "2023-03-01", "email": "2025-09-01", "calls": "2026-03-12"}
TOPIC = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/sandbox"
    "/providers/Microsoft.Communication/communicationServices/sandbox"
)
COUNTRY = "/availablePhoneNumbers/countries/{country}"
RESERVATION = "/availablePhoneNumbers/reservations/{reservation}"


class Acs:
    """The whole stand-in: `app` to serve it, and what tests read from it."""

    def __init__(
        self,
        *,
        clock: Clock,
        access_key: str,
        tokens: Tokens,
        numbers: Iterable[dict[str, Any]],
        sip: dict[str, Any],
        email_sender: str,
        publish: Callable[[Event, float], None],
        ca_file: str,
    ) -> None:
        self.options = AcsOptions()
        # The audience of callback tokens.
        self.resource_id = str(uuid.uuid4())
        self._clock = clock
        self._door = Doorkeeper(access_key, tokens)
        self._courier = Courier("acs-callbacks", ca_file, workers=2)
        self._signer = Signer(clock, self.resource_id)
        self.numbers = Numbers(clock, self.options, numbers)
        self.reservations = Reservations(clock, self.numbers)
        self.sip = Sip(self.options, sip)
        self.email = Email(clock, self.options, email_sender, TOPIC, publish)
        self.calls = Calls(clock, self.options, TOPIC, publish, Callbacks(clock, self._courier, self._signer))
        self.app = Starlette(routes=self._routes())

    @property
    def outbox(self) -> list[Mail]:
        """The mails accepted so far."""
        return self.email.outbox

    @property
    def redirects(self) -> list[Redirect]:
        """The calls redirected so far."""
        return list(self.calls.redirects)

    @property
    def rejects(self) -> list[Reject]:
        """The calls rejected so far."""
        return list(self.calls.rejects)

    def incoming_call(self, from_number: str, to_number: str) -> Event:
        """Someone calls a number (or an identity) of the resource."""
        return self.calls.ring(from_number, to_number)

    def stop(self) -> None:
        """Ends the threads that send callbacks."""
        self._courier.stop()

    def _routes(self) -> list[BaseRoute]:
        return [*self._number_routes(), *self._reservation_routes(), *self._other_routes(), *self._open_routes()]

    def _number_routes(self) -> list[Route]:
        numbers = self.numbers
        return [
            self._route("GET", "/phoneNumbers", "numbers", numbers.list_owned),
            # Before the route of a single number, which would match them too.
            self._route("GET", "/phoneNumbers/operations/{operation}", "numbers", numbers.operation),
            self._route("DELETE", "/phoneNumbers/operations/{operation}", "numbers", numbers.cancel_operation),
            self._route("PATCH", "/phoneNumbers/{number}/capabilities", "numbers", numbers.update_capabilities),
            self._route("GET", "/phoneNumbers/{number}", "numbers", numbers.get),
            self._route("DELETE", "/phoneNumbers/{number}", "numbers", numbers.release),
            self._route("POST", f"{COUNTRY}/:search", "numbers", numbers.search),
            self._route("POST", f"{COUNTRY}/:browse", "numbers", numbers.browse),
            self._route("GET", "/availablePhoneNumbers/searchResults/{search}", "numbers", numbers.search_result),
            self._route("POST", "/availablePhoneNumbers/:purchase", "numbers", numbers.purchase),
        ]

    def _reservation_routes(self) -> list[Route]:
        reservations = self.reservations
        return [
            self._route("GET", "/availablePhoneNumbers/reservations", "numbers", reservations.list_all),
            self._route("PATCH", RESERVATION, "numbers", reservations.change),
            self._route("GET", RESERVATION, "numbers", reservations.get),
            self._route("DELETE", RESERVATION, "numbers", reservations.delete),
            self._route("POST", f"{RESERVATION}/:purchase", "numbers", reservations.purchase),
        ]

    def _other_routes(self) -> list[Route]:
        once = Repeatability().once
        calls = "/calling/callConnections"
        return [
            self._route("GET", "/sip", "sip", self.sip.get),
            self._route("PATCH", "/sip", "sip", self.sip.patch),
            self._route("POST", "/emails:send", "email", self.email.send),
            self._route("GET", "/emails/operations/{operation}", "email", self.email.status),
            self._route("POST", f"{calls}:redirect", "calls", once("redirect", self.calls.redirect)),
            self._route("POST", f"{calls}:answer", "calls", once("answer", self.calls.answer)),
            self._route("POST", f"{calls}:reject", "calls", once("reject", self.calls.reject)),
        ]

    def _open_routes(self) -> list[Route]:
        """What receivers of callbacks read to check them; the real service serves them to anyone."""
        return [
            Route("/calling/keys", self._keys, methods=["GET"]),
            Route("/calling/.well-known/acsopenidconfiguration", self._configuration, methods=["GET"]),
        ]

    def _route(self, method: str, path: str, service: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            try:
                call = self._admit(request, body, VERSIONS[service])
                # What is due by now happens before the request is looked at.
                self.numbers.operations.settle(self._clock.now())
                response = handler(call)
            except ServiceError as error:
                response = error.response()
            client_id = request.headers.get("x-ms-client-request-id")
            if client_id and request.headers.get("x-ms-return-client-request-id") == "true":
                response.headers["x-ms-client-request-id"] = client_id
            return response

        return Route(path, endpoint, methods=[method])

    def _admit(self, request: Request, body: bytes, version: str) -> Call:
        """Checks who calls and with which api-version; what comes back is what handlers work with."""
        self._door.check(request.method, raw_target(request), request.headers, body)
        check_date(request.headers, self._clock.now(), self.options.clock_skew_seconds)
        given = request.query_params.get("api-version", "")
        if given != version and given not in self.options.more_versions:
            raise ServiceError(
                self.options.unknown_version_status,
                "UnsupportedApiVersionValue",
                f"The api-version {given!r} is not supported here; {version} is.",
                target="api-version",
            )
        return Call(
            method=request.method,
            base_url=str(request.base_url).rstrip("/"),
            path=request.path_params,
            query=request.query_params,
            headers=request.headers,
            body=body,
            api_version=given,
        )

    async def _keys(self, request: Request) -> Response:
        del request  # the same for everyone
        return JSONResponse(self._signer.keys())

    async def _configuration(self, request: Request) -> Response:
        keys = f"{str(request.base_url).rstrip('/')}/calling/keys"
        signing = ["RS256"]
        return JSONResponse({"issuer": ISSUER, "jwks_uri": keys, "id_token_signing_alg_values_supported": signing})


def raw_target(request: Request) -> str:
    """Path and query as they were sent, nothing decoded."""
    target: bytes = request.scope["raw_path"]
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    return target.decode("latin-1")
