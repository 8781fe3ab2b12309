"""The FastAPI app. Every answer of success is given after the commit; every fault of ours is 503, never 500.

Dataverse tries once more after 502, 503 and 504 only; Event Grid drops an event for ever after 400, 401, 403 and 413.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from connector.assembly import Connector
from connector.directory.sync import ages
from connector.errors import BadData, ConnectorError, RetryLater
from connector.logs import log, where
from connector.metrics import REGISTRY, deliveries, directory_age, pool_free
from connector.service import event_grid, intake
from connector.service.access import authenticate, read_body
from connector.service.location import location_router
from connector.service.responses import CallAnswer, Panel, panel
from connector.settings import Settings
from connector.store import calls

STRIPPED = "x-ms-dynamics-msg-size-exceeded"


class NewCall(BaseModel):
    """A dial, as a soft-phone announces it. Only the agent is needed; the same `call_key` is the same call."""

    agent_id: str = Field(max_length=100, description="Dataverse id of the user")
    call_key: str | None = Field(None, max_length=200, description="The soft-phone's own id of the call")
    dialled: str | None = Field(None, max_length=40)
    dialled_at: datetime | None = None
    country: str | None = Field(None, max_length=80, description="Code or name, such as GB")
    location: str | None = Field(None, max_length=2000)
    callback_number: str | None = Field(None, max_length=40, description="If the platform assigned one itself")
    agent_identity: str | None = Field(None, max_length=300, description="ACS identity or number for callbacks")


def create_app(connector: Connector) -> FastAPI:
    """The app of one connector, whose worker runs in the same process."""
    app = FastAPI(
        title="Emergency connector",
        description="Announces emergency calls of Dynamics 365 agents and tells what their panels show.",
        version="1",
        docs_url=None,  # its page would load scripts from the internet; /openapi.json is for integrators
        redoc_url=None,
    )
    _add_faults(app)
    _add_webhooks(app, connector)
    _add_calls(app, connector)
    app.include_router(location_router(connector))
    _add_health(app, connector)
    return app


def _add_faults(app: FastAPI) -> None:
    @app.exception_handler(RetryLater)
    async def busy(_request: Request, error: RetryLater) -> Response:
        log().error("not_available", problem=str(error))
        return JSONResponse({"detail": "try again"}, 503, {"Retry-After": "1"})

    @app.exception_handler(BadData)
    async def unreadable(_request: Request, error: BadData) -> Response:
        return JSONResponse({"detail": str(error)}, 400)

    @app.exception_handler(Exception)
    async def broken(_request: Request, error: Exception) -> Response:
        log().error("broke", error=type(error).__name__, where=where(error))
        return JSONResponse({"detail": "try again"}, 503, {"Retry-After": "1"})


async def admitted(request: Request, settings: Settings, sender: str) -> bytes:
    """The body of a request that may come in. Raises HTTPException, and counts it, for any other."""
    try:
        authenticate(request, settings)
        return await read_body(request, settings.max_body_bytes)
    except HTTPException as refusal:
        deliveries.labels(sender, f"refused_{refusal.status_code}").inc()
        log().warning("delivery_refused", source=sender, status=refusal.status_code)
        raise


def counted(sender: str, error: BadData) -> BadData:
    """An unreadable body, counted."""
    deliveries.labels(sender, "refused_400").inc()
    log().warning("delivery_refused", source=sender, status=400, problem=str(error))
    return error


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Describes a body that the handler reads itself: a wrong part must not cost the whole announcement."""
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}


def _add_webhooks(app: FastAPI, connector: Connector) -> None:
    settings = connector.settings

    @app.post("/webhooks/dataverse", tags=["webhooks"])
    async def dataverse(request: Request) -> CallAnswer:
        """Takes a RemoteExecutionContext; messages that announce no emergency call are answered and ignored."""
        body = await admitted(request, settings, "dataverse")
        try:
            return await run_in_threadpool(intake.from_dataverse, connector, body, stripped=STRIPPED in request.headers)
        except BadData as error:
            raise counted("dataverse", error) from error

    @app.post("/webhooks/eventgrid", tags=["webhooks"])
    async def eventgrid(request: Request) -> dict[str, str]:
        """Takes events of ACS: incoming calls, delivery reports, and the question whether we want them."""
        body = await admitted(request, settings, "eventgrid")
        try:
            events = event_grid.read_events(body)
            code = event_grid.validation_code(events, settings.eventgrid_topic)
        except BadData as error:
            raise counted("eventgrid", error) from error
        if code is not None:
            return {"validationResponse": code}
        await run_in_threadpool(event_grid.deal_with, connector, events)
        return {"status": "accepted"}

    @app.options("/webhooks/eventgrid", include_in_schema=False)
    async def eventgrid_origin(request: Request) -> Response:
        """The hand-shake of the CloudEvents schema."""
        authenticate(request, settings)
        origin = request.headers.get("webhook-request-origin", "")
        return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "1000"})


def _add_calls(app: FastAPI, connector: Connector) -> None:
    settings = connector.settings

    @app.post("/api/v1/calls", tags=["calls"], status_code=201, openapi_extra=_body_of(NewCall))
    async def announce(request: Request, response: Response) -> CallAnswer:
        """A soft-phone dials: the same as the webhook, without Dataverse in between.

        201 for a call; 200 for a dial that is no emergency. Whatever cannot be read is left out, and still alarms.
        """
        body = await admitted(request, settings, "api")
        try:
            answer = await run_in_threadpool(intake.from_soft_phone, connector, body, tuple(NewCall.model_fields))
        except BadData as error:
            raise counted("api", error) from error
        if answer.status == "ignored":
            response.status_code = 200
        return answer

    @app.post("/api/v1/calls/{call_id}/end", tags=["calls"])
    def end(request: Request, call_id: str) -> CallAnswer:
        """The call with our id is over."""
        authenticate(request, settings)
        call = _find(connector, call_id)
        return intake.end(connector, call, "api")

    @app.get("/api/v1/calls/{call_id}/panel", tags=["calls"])
    def show_panel(request: Request, call_id: str) -> Panel:
        """What the agent's panel offers now."""
        authenticate(request, settings)
        if "panel" in settings.excluded_steps:
            raise HTTPException(404, "the panel is left to Dynamics")
        call = _find(connector, call_id)
        with connector.store.read() as connection:
            return panel(call, calls.peek(connection, call.agent_id))


def _find(connector: Connector, call_id: str) -> Any:
    with connector.store.read() as connection:
        found = calls.find(connection, call_id)
    if found is None:
        raise HTTPException(404, "no such call, or it is forgotten")
    return found[0]


def _add_health(app: FastAPI, connector: Connector) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    def readyz() -> Response:
        """Whether calls can be taken, and how old the directory is. An old directory is told, but refuses nothing."""
        try:
            with connector.store.read() as connection:
                pool = calls.pool_size(connection)
            directory = ages(connector.directory_store, connector.clock, connector.mappings.tables)
            if not connector.performs:
                raise RetryLater("effects are not performed: restart the service")
        except ConnectorError as error:
            return JSONResponse({"status": "not ready", "problem": str(error)}, 503)
        free = {country: left for country, (_, left) in pool.items()}
        return JSONResponse({"status": "ready", "directory_age_seconds": directory, "free_numbers": free})

    @app.get("/metrics", tags=["health"])
    def metrics() -> Response:
        """Counters for Prometheus. None of them names anybody."""
        with suppress(ConnectorError):  # the counters are needed most when a database is down
            with connector.store.read() as connection:
                for country, (_, left) in calls.pool_size(connection).items():
                    pool_free.labels(country).set(left)
            for table, age in ages(connector.directory_store, connector.clock, connector.mappings.tables).items():
                directory_age.labels(table).set(math.inf if age is None else age)
        return PlainTextResponse(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
