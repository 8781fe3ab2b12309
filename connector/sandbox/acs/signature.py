"""Who may call: the HMAC signature of an access key, or a bearer token of Entra ID.

The string to sign is that of the official clients (azure-communication-*: `HMACCredentialsPolicy`):
`VERB`, the raw target, then `date;host;base64 SHA-256 of the body`. The target is checked as it was sent, since
decoding `%2B` first would break every path with a phone number in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers

from connector.sandbox.acs.responses import ServiceError
from connector.sandbox.entra import TokenRefused, Tokens

SCHEME = "HMAC-SHA256 "
SIGNED = "x-ms-date;host;x-ms-content-sha256"
# Clients ask for this and `//.default`: with two slashes, in all official packages.
AUDIENCE = "https://communication.azure.com"


def denied(message: str) -> ServiceError:
    """The 401 of the service; its code is `Denied` for e-mail, the only one seen."""
    return ServiceError(401, "Denied", message)


class Doorkeeper:
    """Lets a request in, or raises a 401."""

    def __init__(self, access_key: str, tokens: Tokens) -> None:
        self._key = base64.b64decode(access_key)
        self._tokens = tokens

    def check(self, method: str, target: str, headers: Headers, body: bytes) -> None:
        """Checks one request; `target` is path and query exactly as they arrived."""
        authorization = headers.get("authorization", "")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            self._check_token(token.strip())
        elif authorization.startswith(SCHEME):
            self._check_signature(authorization.removeprefix(SCHEME), method, target, headers, body)
        else:
            raise denied("The Authorization header is missing or of an unknown scheme.")

    def _check_token(self, token: str) -> None:
        try:
            self._tokens.check(token, audience=AUDIENCE)
        except TokenRefused as error:
            raise denied(f"The bearer token is not accepted: {error}.") from error

    def _check_signature(self, given: str, method: str, target: str, headers: Headers, body: bytes) -> None:
        signed, _, signature = given.partition("&Signature=")
        if signed != f"SignedHeaders={SIGNED}":
            raise denied(f"The signed headers must be {SIGNED}.")
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if not hmac.compare_digest(digest, headers.get("x-ms-content-sha256", "")):
            raise denied("x-ms-content-sha256 is not the hash of the body.")
        text = f"{method}\n{target}\n{headers.get('x-ms-date', '')};{headers.get('host', '')};{digest}"
        wanted = base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest())
        if not hmac.compare_digest(wanted, signature.encode()):
            raise denied("The HMAC signature does not match.")


def check_date(headers: Headers, now: datetime, skew_seconds: float | None) -> None:
    """Refuses a signature whose date is too far off; `None` accepts any (the service's own limit is not confirmed)."""
    text = headers.get("x-ms-date")
    if skew_seconds is None or text is None:
        return
    try:
        sent = parsedate_to_datetime(text)
    except ValueError:
        raise denied("x-ms-date is not a date.") from None
    if sent.tzinfo is None or abs((now - sent).total_seconds()) > skew_seconds:
        raise denied("x-ms-date is too far from the service's time.")
