"""What an answer of Dataverse means: its JSON, the error that it is, and how long to wait after it.

Dataverse's own text is never passed on, since it may quote a row.
"""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from connector.errors import (
    AuthenticationError,
    BadData,
    ConnectorError,
    EditConflict,
    MissingPrivilege,
    NotFound,
    RetryLater,
    ServiceRejected,
)

LIMITS = {
    "0x80072322": "its limit of requests in five minutes is reached",
    "0x80072321": "its limit of execution time in five minutes is reached",
    "0x80072326": "its limit of requests at the same time is reached",
}
"""The three service protection limits by code (Microsoft: service protection API limits)."""
BUDGETS = {
    "x-ms-ratelimit-burst-remaining-xrm-requests": 6000.0,
    "x-ms-ratelimit-time-remaining-xrm-requests": 1200.0,
}
"""Headers that tell what is left of a user's five minutes, and how much there is: requests, seconds of execution."""
LOW = 0.1
"""The share of a budget from which on reads slow down."""
LONGEST_BREATHER = 10.0
"""Seconds between pages with nothing left: 30 requests in five minutes, which any window lets through."""

_PRIVILEGE = re.compile(r"\bprv[A-Za-z0-9_]{1,100}\b")
_KINDS: dict[int, tuple[type[ServiceRejected], str]] = {
    404: (NotFound, "no such row, table or column"),
    412: (EditConflict, "the row changed meanwhile, or exists already"),
}


def body(response: requests.Response) -> Any:
    """The JSON of an answer. Raises BadData where it is none."""
    try:
        return response.json()
    except ValueError:
        raise BadData("Dataverse answered something that is no JSON", request_id=_request_id(response)) from None


def breather(response: requests.Response) -> float:
    """Seconds to wait before the next read, so that the limits are never met: more, the less is left."""
    left = min((_number(response, header, full) / full for header, full in BUDGETS.items()), default=1.0)
    return LONGEST_BREATHER * max(0.0, 1 - max(0.0, left) / LOW)


def refusal(response: requests.Response) -> ConnectorError:
    """The error that an answer of 300 and above means."""
    status, request_id = response.status_code, _request_id(response)
    code, text = _error(response)
    told = f"Dataverse answered {status}{f' ({code})' if code else ''}"
    if status in (429, 500, 502, 503, 504):
        reason = LIMITS.get(code.lower(), "busy or out of order")
        return RetryLater(f"{told}: {reason}", retry_after=_retry_after(response), code=code, request_id=request_id)
    if status == 401:
        return AuthenticationError(
            f"{told}: our token is not accepted; check the application user", request_id=request_id
        )
    if status == 403:
        return _missing(told, code, text, request_id)
    kind, advice = _KINDS.get(status, (ServiceRejected, "it refuses this request"))
    return kind(f"{told}: {advice}", status=status, code=code, request_id=request_id)


def _missing(told: str, code: str, text: str, request_id: str | None) -> MissingPrivilege:
    named = _PRIVILEGE.search(text)
    privilege = named[0] if named else ""
    lacks = privilege or "a privilege on this table"
    message = f"{told}: the application user lacks {lacks}"
    return MissingPrivilege(message, code=code, request_id=request_id, privilege=privilege)


def _request_id(response: requests.Response) -> str | None:
    return response.headers.get("x-ms-service-request-id") or response.headers.get("REQ_ID")


def _error(response: requests.Response) -> tuple[str, str]:
    """Code and message of an error, empty where the answer has none."""
    try:
        error = response.json()["error"]
        code, text = error.get("code"), error.get("message")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""
    return code if isinstance(code, str) and len(code) < 60 else "", text if isinstance(text, str) else ""


def _number(response: requests.Response, header: str, otherwise: float) -> float:
    try:
        value = float(response.headers[header])
    except (KeyError, ValueError):
        return otherwise
    return value if math.isfinite(value) else otherwise


def _retry_after(response: requests.Response) -> float | None:
    """Seconds from a number or a date; a date is compared with the answer's own, whatever our clock says."""
    wish = _number(response, "Retry-After", -1)
    if wish >= 0:
        return wish
    try:
        until, now = (parsedate_to_datetime(response.headers[name]) for name in ("Retry-After", "Date"))
        return max(0.0, (until - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
