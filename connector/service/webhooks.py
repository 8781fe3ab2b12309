"""The webhooks of Dataverse and Event Grid.

Plain routes, since FastAPI's reading and writing of models takes more time than all that a dial needs in the store.
Dials have threads of their own, so that no other request can keep them waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.assembly import Connector
from connector.errors import BadData
from connector.service import event_grid, intake
from connector.service.access import admitted, authenticate, counted, fault

STRIPPED = "x-ms-dynamics-msg-size-exceeded"
THREADS = 16
Answered = TypeVar("Answered")
Endpoint = Callable[[Request], Awaitable[Response]]


def webhook_routes(connector: Connector) -> list[Route]:
    """The routes of one connector's webhooks."""
    webhooks = _Webhooks(connector)
    return [
        Route("/webhooks/dataverse", _with_faults(webhooks.dataverse), methods=["POST"]),
        Route("/webhooks/eventgrid", _with_faults(webhooks.eventgrid), methods=["POST"]),
        Route("/webhooks/eventgrid", _with_faults(webhooks.eventgrid_origin), methods=["OPTIONS"]),
    ]


def _with_faults(endpoint: Endpoint) -> Endpoint:
    async def answering(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001 (each has an answer)
            return fault(error)

    return answering


class _Webhooks:
    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._threads = ThreadPoolExecutor(THREADS, "dials")

    async def dataverse(self, request: Request) -> Response:
        """Takes a RemoteExecutionContext; messages that announce no emergency call are answered and ignored."""
        body = await admitted(request, self._connector.settings, "dataverse")
        stripped = STRIPPED in request.headers
        try:
            answer = await self._in_thread(partial(intake.from_dataverse, self._connector, body, stripped=stripped))
        except BadData as error:
            raise counted("dataverse", error) from error
        return Response(answer.model_dump_json(), media_type="application/json")

    async def eventgrid(self, request: Request) -> Response:
        """Takes events of ACS: incoming calls, delivery reports, and the question whether we want them."""
        settings = self._connector.settings
        body = await admitted(request, settings, "eventgrid")
        try:
            events = event_grid.read_events(body)
            code = event_grid.validation_code(events, settings.eventgrid_topic)
        except BadData as error:
            raise counted("eventgrid", error) from error
        if code is not None:
            return JSONResponse({"validationResponse": code})
        await self._in_thread(partial(event_grid.deal_with, self._connector, events))
        return JSONResponse({"status": "accepted"})

    async def eventgrid_origin(self, request: Request) -> Response:
        """The hand-shake of the CloudEvents schema."""
        authenticate(request, self._connector.settings)
        origin = request.headers.get("webhook-request-origin", "")
        return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "1000"})

    async def _in_thread(self, act: Callable[[], Answered]) -> Answered:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)
