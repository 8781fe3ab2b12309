"""The app: the webhooks, the API of soft-phones, health and metrics."""

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
from starlette.routing import Mount, Router

from connector.assembly import Connector
from connector.directory.sync import ages
from connector.errors import BadData, ConnectorError, RetryLater
from connector.metrics import REGISTRY, directory_age, pool_free
from connector.service import intake
from connector.service.access import admitted, authenticate, counted, fault
from connector.service.location import location_router
from connector.service.responses import CallAnswer, Panel, panel
from connector.service.webhooks import webhook_routes
from connector.store import calls


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


def create_app(connector: Connector) -> Router:
    """The app of one connector, whose worker runs in the same process: the webhooks, and before all else FastAPI's."""
    webhooks, api = webhook_routes(connector), _api(connector)
    for route in webhooks:
        if "POST" in (route.methods or ()):  # the contract lists them, too
            api.add_api_route(route.path, route.endpoint, methods=["POST"], name=route.path, tags=["webhooks"])
    return Router([*webhooks, Mount("/", api)])


def _api(connector: Connector) -> FastAPI:
    app = FastAPI(
        title="Emergency connector",
        description="Announces emergency calls of Dynamics 365 agents and tells what their panels show.",
        version="1",
        docs_url=None,  # its page would load scripts from the internet; /openapi.json is for integrators
        redoc_url=None,
    )
    _add_faults(app)
    _add_calls(app, connector)
    app.include_router(location_router(connector))
    _add_health(app, connector)
    return app


def _add_faults(app: FastAPI) -> None:
    for kind in (RetryLater, BadData, Exception):
        app.exception_handler(kind)(_fault)


async def _fault(_request: Request, error: Exception) -> Response:
    return fault(error)


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Describes a body that the handler reads itself: a wrong part must not cost the whole announcement."""
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}, "required": True}}


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
