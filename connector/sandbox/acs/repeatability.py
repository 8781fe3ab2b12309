"""`Repeatability-Request-ID` of the CallAutomation contract: the same id, the same answer, the work done once."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from starlette.responses import Response

from connector.sandbox.acs.responses import Call, ServiceError

Handler = Callable[[Call], Response]


class Repeatability:
    """Remembers the answers by operation and id. Errors are not remembered: nothing was executed."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], tuple[int, bytes, str | None]] = {}

    def once(self, name: str, handler: Handler) -> Handler:
        """A handler that runs once for each id."""

        def answer(call: Call) -> Response:
            request_id = _request_id(call)
            if request_id is None:
                return handler(call)
            if (name, request_id) not in self._answers:
                response = handler(call)
                self._answers[name, request_id] = (response.status_code, bytes(response.body), response.media_type)
            status, body, media_type = self._answers[name, request_id]
            return Response(body, status, media_type=media_type)

        return answer


def _request_id(call: Call) -> str | None:
    """The id, checked: a version-4 UUID that comes with the time it was first sent."""
    text = call.headers.get("repeatability-request-id")
    if text is None:
        return None
    try:
        request_id = uuid.UUID(text)
    except ValueError:
        request_id = None
    if request_id is None or request_id.version != 4:
        raise ServiceError(400, "BadRequest", "Repeatability-Request-ID must be a version-4 UUID.")
    if "repeatability-first-sent" not in call.headers:
        raise ServiceError(400, "BadRequest", "Repeatability-First-Sent is missing.")
    return str(request_id)
