"""What every endpoint does first: know the caller, and take no more than it can hold; and how it answers faults.

Every fault of ours is 503, never 500: Dataverse tries once more after 502, 503 and 504 only. Event Grid drops an event
for ever after 400, 401, 403 and 413.
"""

from __future__ import annotations

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from connector.errors import BadData, RetryLater
from connector.logs import log, where
from connector.metrics import deliveries
from connector.settings import Settings


def authenticate(request: Request, settings: Settings) -> None:
    """Raises 401 unless the request carries one of the secrets, in the header, as bearer, as `?code=` or as query pair.

    Dataverse signs nothing, so the shared secret is all there is. Every secret is compared, in constant time.
    """
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    offered = [request.headers.get(settings.webhook_header), bearer.strip() if scheme.lower() == "bearer" else None]
    if request.scope.get("query_string"):
        offered += [request.query_params.get(name) for name in ("code", settings.webhook_query)]
    accepted = [secret.get_secret_value().encode() for secret in settings.webhook_secrets]
    matches = [hmac.compare_digest(given.encode(), secret) for given in offered if given for secret in accepted]
    if not any(matches):
        raise HTTPException(401, "no valid secret")


async def read_body(request: Request, most: int) -> bytes:
    """The raw body. Raises 413 beyond `most` bytes, as soon as that is sure."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise HTTPException(413, "the body is too large")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise HTTPException(413, "the body is too large")
    except ClientDisconnect:
        raise HTTPException(400, "the body is not complete") from None
    return bytes(body)


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


def fault(error: Exception) -> Response:
    """The answer to a request that ended with an error."""
    match error:
        case HTTPException():
            return JSONResponse({"detail": error.detail}, error.status_code)
        case BadData():
            return JSONResponse({"detail": str(error)}, 400)
        case RetryLater():
            log().error("not_available", problem=str(error))
        case _:
            log().error("broke", error=type(error).__name__, where=where(error))
    return JSONResponse({"detail": "try again"}, 503, {"Retry-After": "1"})
