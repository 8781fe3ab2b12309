"""Requests and answers, free of the web framework, so that a part of a `$batch` is handled like any request."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

from connector.sandbox.dataverse.errors import WebApiError, bad_payload
from connector.sandbox.dataverse.options import Rights

JSON_TYPE = "application/json; odata.metadata=minimal"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Caller:
    """Who is calling: the client of the token, the user whose rights count, and the names for the webhook context."""

    client_id: str
    user_id: str
    rights: Rights
    object_id: str | None = None
    real_user_id: str | None = None
    """Set under impersonation: the application user behind the request."""
    agent: str = ""


@dataclass
class Request:
    """One request below the Web API's root. `path` is decoded; `query` keeps the pairs in order."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    root: str
    """`https://host/api/data/v9.2`, for the absolute addresses in answers."""
    caller: Caller
    correlation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, or a 400."""
        try:
            content = json.loads(self.body or b"{}")
        except ValueError as error:
            raise bad_payload(f"An error occurred while reading the JSON: {error}") from error
        if not isinstance(content, dict):
            raise bad_payload("The body must be a JSON object.")
        return content

    def prefers(self, preference: str) -> str | None:
        """The value of a preference, an empty text for one without a value, None where it was not sent."""
        for part in _preferences(self.headers.get("prefer", "")):
            name, _, value = part.partition("=")
            if name.strip() == preference:
                return value.strip().strip('"')
        return None


@dataclass
class Response:
    """An answer; `body` is complete, since a batch must embed it."""

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def parse_query(raw: str) -> dict[str, str]:
    """Query options. Blanks arrive as `+` or `%20`: the official client sends both. [observed in SDK source]

    Decoded by hand, since a `+` inside an encoded delta token (`%2B`) must survive.
    """
    pairs = (part.partition("=") for part in raw.split("&") if part)
    return {unquote(name): unquote_plus(value) for name, _, value in pairs}


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON body."""
    return encoded_response(dumps(content), status, headers)


def encoded_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose JSON is already written."""
    return Response(status, text.encode(), {"Content-Type": JSON_TYPE, "OData-Version": "4.0", **(headers or {})})


def error_response(error: WebApiError, *, detailed: bool = False) -> Response:
    """The error body; with all annotations asked for, the detailed ones too. [documented: parse errors]"""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if detailed:
        body["@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"] = "0"
        body["@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode"] = "0"
        body["@Microsoft.PowerApps.CDS.InnerError.Message"] = error.message
        body["@Microsoft.PowerApps.CDS.TraceText"] = ""
    headers = {"Content-Type": "application/json; odata.metadata=minimal", "OData-Version": "4.0", **error.headers}
    return Response(error.status, dumps({"error": body}).encode(), headers)


def dumps(content: object) -> str:
    """JSON as the Web API writes it: no blanks, no escapes for letters."""
    return _encode(content)


def _preferences(header: str) -> Iterable[str]:
    """The parts of a Prefer header; commas inside quotes separate annotations, not preferences."""
    part, quoted = "", False
    for letter in header:
        if letter == "," and not quoted:
            yield part
            part = ""
            continue
        quoted ^= letter == '"'
        part += letter
    yield part
