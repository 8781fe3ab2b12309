"""The stand-in of Entra ID: the two routes that MSAL asks, and the tokens that the other stand-ins check.

MSAL must be built with `instance_discovery=False` and an https authority that ends in the tenant. The shape of an
error body is the usual one, not confirmed by a document. [observed in a run]
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connector.clock import Clock

# At 300 or less MSAL takes every token for expired. [observed in a run]
EXPIRES_SECONDS = 3599
ACS_SCOPE = "https://communication.azure.com//.default"
_SCOPE = re.compile(r"https://[^/]+(?:/[^/.]*)*/\.default")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenRefused(Exception):
    """The token is missing, damaged, expired or meant for somebody else."""


class Tokens:
    """Issues bearer tokens that name client, audience and expiry, and checks them, all by one clock."""

    def __init__(self, clock: Clock, expires_seconds: int = EXPIRES_SECONDS) -> None:
        self.expires_seconds = expires_seconds
        self._clock = clock
        # A key of this process alone: a token of an earlier run is worth nothing.
        self._key = secrets.token_bytes(32)

    def issue(self, client_id: str, scope: str) -> str:
        """A token for a client and a scope such as `https://host/.default`."""
        now = self._clock.now()
        claims = {
            "aud": _audience(scope),
            "appid": client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=self.expires_seconds)).timestamp()),
            "uti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def now(self) -> datetime:
        """The time by which tokens live."""
        return self._clock.now()

    def check(self, token: str, *, audience: str) -> str:
        """The client id of a good token; raises `TokenRefused` for any other."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                options={"verify_exp": False, "verify_aud": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise TokenRefused("the token cannot be read") from error
        if claims["exp"] <= self._clock.now().timestamp():
            raise TokenRefused("the token has expired")
        if claims["aud"] != audience.rstrip("/"):
            raise TokenRefused("the token is meant for another resource")
        return str(claims["appid"])


def entra_app(
    tokens: Tokens,
    *,
    tenant_id: str,
    client_id: str,
    client_secrets: Sequence[str],
    other_clients: Mapping[str, Sequence[str]] | None = None,
) -> Starlette:
    """The two routes of one tenant. Several secrets may be valid at once, as while one is being replaced."""
    clients = {client_id: tuple(client_secrets), **{k: tuple(v) for k, v in (other_clients or {}).items()}}

    async def configuration(request: Request) -> JSONResponse:
        base = f"https://{request.headers['host']}/{tenant_id}"
        return JSONResponse(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def token(request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        refusal = _refusal(form, clients, tokens)
        if refusal is not None:
            return refusal
        access = tokens.issue(form["client_id"], form["scope"])
        seconds = tokens.expires_seconds
        return JSONResponse(
            {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": access},
            headers={"Cache-Control": "no-store"},
        )

    return Starlette(
        routes=[
            Route(f"/{tenant_id}/v2.0/.well-known/openid-configuration", configuration),
            Route(f"/{tenant_id}/oauth2/v2.0/token", token, methods=["POST"]),
        ]
    )


def _refusal(form: Mapping[str, str], clients: Mapping[str, tuple[str, ...]], tokens: Tokens) -> JSONResponse | None:
    """Why no token is given; None if one is."""
    if form.get("grant_type") != "client_credentials":
        return _error(tokens, 400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    client = form.get("client_id", "")
    if client not in clients:
        return _error(
            tokens, 400, "unauthorized_client", 700016, f"Application with identifier '{client}' was not found."
        )
    if not _proves_itself(form, clients[client]):
        return _error(tokens, 401, "invalid_client", 7000215, f"Invalid client secret provided for app '{client}'.")
    scope = form.get("scope", "")
    if not _SCOPE.fullmatch(scope):
        return _error(
            tokens,
            400,
            "invalid_scope",
            70011,
            f"The provided value for the input parameter 'scope' is not valid: {scope}.",
        )
    return None


def _proves_itself(form: Mapping[str, str], valid: tuple[str, ...]) -> bool:
    """By a secret, or by an assertion of a certificate, whose signature is not looked at here."""
    if form.get("client_assertion_type") == _ASSERTION:
        try:
            claims = jwt.decode(form.get("client_assertion", ""), options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return False
        return bool(claims.get("iss") == claims.get("sub") == form["client_id"])
    return any(secrets.compare_digest(form.get("client_secret", "").encode(), secret.encode()) for secret in valid)


def _error(tokens: Tokens, status: int, error: str, code: int, message: str) -> JSONResponse:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    stamp = tokens.now().strftime("%Y-%m-%d %H:%M:%SZ")
    description = f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
    body = {
        "error": error,
        "error_description": description,
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
    }
    return JSONResponse(body, status_code=status)


def _audience(scope: str) -> str:
    return scope.removesuffix("/.default").rstrip("/")
