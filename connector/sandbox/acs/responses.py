"""What every ACS answer has in common: the call a handler gets, the error envelope, times on the wire.

The envelope and its header are documented for e-mail and SIP routing, and recorded for phone numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse, Response


class ServiceError(Exception):
    """An answer of the service that is an error; raised by handlers, turned into a response in one place."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The error envelope, with `x-ms-error-code` equal to the code in the body (Email contract 2025-09-01)."""
        error = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        return JSONResponse({"error": error}, self.status, headers={**self.headers, "x-ms-error-code": self.code})


@dataclass(frozen=True)
class Call:
    """One authenticated request, its body already read."""

    method: str
    base_url: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Headers
    body: bytes
    api_version: str

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body counts as an empty object."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise ServiceError(400, "BadRequest", "The request body is not valid JSON.") from None
        if not isinstance(value, dict):
            raise ServiceError(400, "BadRequest", "The request body is not a JSON object.")
        return value

    def number(self, name: str, default: int) -> int:
        """A query parameter that is a whole number, not negative."""
        text = self.query.get(name, str(default))
        if not text.isascii() or not text.isdigit():
            raise ServiceError(400, "InvalidInput", f"{name} is not a number.", target=name)
        return int(text)


def wire_time(moment: datetime) -> str:
    """A time as phone-number operations write it: UTC with an offset, six decimals [recorded traffic]."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
