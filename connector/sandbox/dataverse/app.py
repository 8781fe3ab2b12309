"""The Dataverse stand-in as an ASGI app, and the object through which tests and the control route steer it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from starlette.routing import Route

from connector.clock import Clock
from connector.sandbox.dataverse.actions import Actions
from connector.sandbox.dataverse.changes import Changes
from connector.sandbox.dataverse.context import Change, Surroundings, build_context
from connector.sandbox.dataverse.dispatch import API_ROOT, Dispatcher
from connector.sandbox.dataverse.errors import WebApiError
from connector.sandbox.dataverse.limits import Limits
from connector.sandbox.dataverse.messages import Caller, Request, Response, error_response, parse_query
from connector.sandbox.dataverse.options import DataverseOptions, Rights
from connector.sandbox.dataverse.query import Reader
from connector.sandbox.dataverse.registration import Registration
from connector.sandbox.dataverse.rows import Row, Rows, Transaction
from connector.sandbox.dataverse.sender import Sender
from connector.sandbox.dataverse.steps import Steps
from connector.sandbox.dataverse.tables import TABLES
from connector.sandbox.dataverse.writes import Writer
from connector.sandbox.entra import TokenRefused, Tokens

if TYPE_CHECKING:
    # The organisation's rows are made with the table definitions of this package.
    from connector.sandbox.organisation import Organisation

_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]


class Dataverse:
    """The running stand-in: its app, its rows, its options, and its webhook sender.

    `ca_file` is the authority that webhook receivers are checked against.
    """

    def __init__(
        self,
        organisation: Organisation,
        tokens: Tokens,
        clock: Clock,
        options: DataverseOptions | None = None,
        *,
        ca_file: str | None = None,
    ) -> None:
        self.organisation = organisation
        self.options = options or DataverseOptions()
        self.rows = Rows(organisation.tables)
        self.sender = Sender(self.options, ca_file)
        self._tokens = tokens
        self._clock = clock
        self._application_users: dict[str, str] = {}
        self._limits = Limits(clock, self.options)
        steps = Steps(self.rows, self.sender, clock, self.options, organisation.domain)
        reader = Reader(self.rows, self.options)
        writer = Writer(self.rows, steps, clock, self.options)
        self._actions = Actions(self.rows, writer, steps, clock, self.options, organisation.engine_user_id)
        changes = Changes(self.rows, reader, clock, self.options)
        self._dispatcher = Dispatcher(self.rows, reader, changes, writer, self._actions, self.options)
        self._registration = Registration(self.rows)
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=_METHODS)])

    def register_webhook(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        messages: Sequence[str] = (),
        synchronous: bool = False,
        filtering: Sequence[str] = (),
    ) -> str:
        """Registers an endpoint with one step a message, as a registrar would; returns the endpoint's id.

        A message is a custom API's name or `Update:msdyn_agentstatus`; `filtering` are the filtering attributes.
        """
        return self._registration.register(
            url, headers=headers, code=code, messages=messages, synchronous=synchronous, filtering=filtering
        )

    def set_presence(self, agent_id: str, presence_id: str, *, by: str = "AGENT") -> None:
        """Changes an agent's presence as the platform would on the agent's own choice, webhooks included."""
        request, transaction = self._own_request(), Transaction(self.rows)
        try:
            self._actions.set_presence(agent_id, presence_id, by, request, transaction)
        except WebApiError:
            transaction.roll_back()
            raise
        transaction.commit()

    def change(self, table: str, row_id: str, **columns: Any) -> None:
        """Changes a row behind the API's back; columns by their JSON names. Steps do not run."""
        self.rows.update(table, row_id, columns)

    def build_context(
        self,
        message: str,
        parameters: Mapping[str, Any],
        *,
        synchronous: bool = False,
        table: str | None = None,
        row_id: str = "",
    ) -> dict[str, Any]:
        """A context as a step would send it, for tests that need one without sending.

        For a custom API `parameters` are its request parameters; with a table, the columns of the Target.
        """
        step = {
            "sdkmessageprocessingstepid": str(uuid.uuid4()),
            "name": "step",
            "mode": 0 if synchronous else 1,
            "stage": 40,
        }
        values = dict(parameters)
        change = (
            Change(message, TABLES[table], row_id, values, values)
            if table
            else Change(message, None, "", {}, {}, parameters=values)
        )
        request = self._own_request()
        around = Surroundings(
            self.organisation.organization_id, self.organisation.name, self.organisation.business_unit_id,
            request.caller, self._clock.now(), request.correlation_id, request.request_id,
        )  # fmt: skip
        operation = request.request_id if synchronous else str(uuid.uuid4())
        return build_context(change, step, around, self.options, operation)

    def close(self) -> None:
        """Stops the sender's threads."""
        self.sender.close()

    async def _answer(self, web: WebRequest) -> WebResponse:
        body = await web.body()
        if web.method == "GET":
            # Reads are short and need no thread; writes may wait for a synchronous step.
            response = self._guarded(web, body)
        else:
            response = await asyncio.to_thread(self._guarded, web, body)
        return WebResponse(response.body, response.status, response.headers)

    def _guarded(self, web: WebRequest, body: bytes) -> Response:
        started = time.perf_counter()
        # The header asks for this one; the three names are those that clients look for. [observed in SDK source]
        service_id = str(uuid.uuid4())
        noise = {"x-ms-service-request-id": service_id, "REQ_ID": service_id}
        client_id = None
        detailed = "odata.include-annotations" in web.headers.get("prefer", "") and '"*"' in web.headers["prefer"]
        try:
            claims = self._authenticated(web)
            noise |= self._limits.enter(claims)
            client_id = claims
            response = self._dispatcher.answer(self._request(web, body, claims, service_id))
        except WebApiError as error:
            response = error_response(error, detailed=detailed)
        finally:
            if client_id is not None:
                self._limits.leave(client_id, time.perf_counter() - started)
        response.headers |= noise
        return response

    def _authenticated(self, web: WebRequest) -> str:
        """The client id of a good token; 401 for a missing, expired or foreign one."""
        scheme, _, token = web.headers.get("authorization", "").partition(" ")
        own = self.options.organisation_url or f"https://{web.headers.get('host', '')}"
        try:
            return self._tokens.check(token if scheme.lower() == "bearer" else "", audience=own)
        except TokenRefused as error:
            challenge = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{error}"'}
            raise WebApiError(401, "0x80040220", f"The token was refused: {error}", challenge) from error

    def _request(self, web: WebRequest, body: bytes, client_id: str, service_id: str) -> Request:
        raw = web.scope["raw_path"].decode()
        match = API_ROOT.match(raw.partition("?")[0])
        if match is None:
            raise WebApiError(404, "0x8006088a", "Resource not found.")
        host = web.headers.get("host", "")
        return Request(
            web.method,
            unquote(match[2] or ""),
            parse_query(web.scope["query_string"].decode()),
            web.headers,
            body,
            f"https://{host}{match[1]}",
            self._caller(web, client_id),
            correlation_id=web.headers.get("x-ms-correlation-id") or str(uuid.uuid4()),
            request_id=service_id,
        )

    def _caller(self, web: WebRequest, client_id: str) -> Caller:
        """The application user of the client, or the user it acts for."""
        options = self.options
        if options.members is not None and client_id not in options.members:
            raise WebApiError(403, "0x80072560", "The user is not a member of the organization.")
        rights = options.rights.get(client_id, Rights())
        user_id = self._application_user(client_id)
        own = self.rows.sets["systemuser"].by_id.get(user_id)
        caller = Caller(
            client_id,
            user_id,
            rights,
            own.values.get("azureactivedirectoryobjectid") if own else None,
            agent=web.headers.get("user-agent", ""),
        )
        return self._impersonated(web, caller)

    def _application_user(self, client_id: str) -> str:
        """Looked for once per client: a search among a million users for every request would be felt."""
        if client_id not in self._application_users:
            user = self.rows.find("systemuser", lambda values: values.get("applicationid") == client_id)
            self._application_users[client_id] = user.id if user else self.organisation.application_user_id
        return self._application_users[client_id]

    def _impersonated(self, web: WebRequest, caller: Caller) -> Caller:
        """`CallerObjectId` names an Entra object, `MSCRMCallerID` a systemuser. [documented]"""
        object_id, user_id = web.headers.get("callerobjectid"), web.headers.get("mscrmcallerid")
        if object_id is None and user_id is None:
            return caller
        if not caller.rights.act_on_behalf:
            raise WebApiError(
                403, "0x8004f511", "CannotActOnBehalfOfAnotherUser: prvActOnBehalfOfAnotherUser is missing."
            )
        user = self._user_by_object(object_id.lower()) if object_id else self.rows.get("systemuser", user_id or "")
        if user is None or user.values.get("isdisabled"):
            raise WebApiError(403, "0x80072560", "The user is not a member of the organization.")
        rights = caller.rights & self.options.rights.get(user.id, Rights())
        return replace(caller, user_id=user.id, rights=rights, real_user_id=caller.user_id)

    def _user_by_object(self, object_id: str) -> Row | None:
        return self.rows.find("systemuser", lambda values: values.get("azureactivedirectoryobjectid") == object_id)

    def _own_request(self) -> Request:
        """A request of the platform itself, for what no client asked for."""
        user_id = self.organisation.engine_user_id
        user = self.rows.get("systemuser", user_id)
        object_id = user.values.get("azureactivedirectoryobjectid") if user else None
        return Request("POST", "", {}, {}, b"", "", Caller("", user_id, Rights(), object_id))


def dataverse_app(
    organisation: Organisation,
    tokens: Tokens,
    clock: Clock,
    options: DataverseOptions | None = None,
    *,
    ca_file: str | None = None,
) -> Starlette:
    """The app alone, for who needs to steer nothing."""
    return Dataverse(organisation, tokens, clock, options, ca_file=ca_file).app
