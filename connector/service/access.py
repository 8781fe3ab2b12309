"""What every endpoint does first: know the caller, and take no more than it can hold."""

from __future__ import annotations

import hmac

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from connector.settings import Settings


def authenticate(request: Request, settings: Settings) -> None:
    """Raises 401 unless the request carries one of the secrets, in the header, as bearer, as `?code=` or as query pair.

    Dataverse signs nothing, so the shared secret is all there is. Every secret is compared, in constant time.
    """
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    offered = [
        request.headers.get(settings.webhook_header),
        request.query_params.get("code"),
        request.query_params.get(settings.webhook_query),
        bearer.strip() if scheme.lower() == "bearer" else None,
    ]
    accepted = [secret.get_secret_value().encode() for secret in settings.webhook_secrets]
    matches = [hmac.compare_digest(given.encode(), secret) for given in offered if given for secret in accepted]
    if not any(matches):
        raise HTTPException(401, "no valid secret")


async def read_body(request: Request, most: int) -> bytes:
    """The raw body. Raises 413 beyond `most` bytes, as soon as that is sure."""
    if (
        request.headers.get("content-length", "0").isdecimal()
        and int(request.headers.get("content-length", "0")) > most
    ):
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
