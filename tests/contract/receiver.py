"""A real HTTP endpoint on loopback: what a stand-in sends arrives here, and is answered as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Arrived:
    """One request, header names in lower case."""

    method: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def agreeable(request: Arrived) -> Reply:
    """Accepts either handshake of Event Grid, and everything else."""
    if request.method == "OPTIONS":
        return Reply(200, headers={"WebHook-Allowed-Origin": request.headers["webhook-request-origin"]})
    if request.headers.get("aeg-event-type") == "SubscriptionValidation":
        return Reply(200, {"validationResponse": request.body[0]["data"]["validationCode"]})
    return Reply()


class Receiver:
    """What arrived; `replies` are used up first, then `usual` answers."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.replies: list[Reply] = []
        self.usual: Callable[[Arrived], Reply] = agreeable
        self.url = ""
        self.changed = threading.Condition()

    @property
    def notifications(self) -> list[Arrived]:
        return [one for one in self.arrived if one.headers.get("aeg-event-type") == "Notification"]

    def take(self, request: Arrived) -> Reply:
        with self.changed:
            self.arrived.append(request)
            self.changed.notify_all()
            shaking = request.method == "OPTIONS" or request.headers.get("aeg-event-type") == "SubscriptionValidation"
            if self.replies and not shaking:
                return self.replies.pop(0)
        # Outside the lock: what a test puts here may take its time.
        return self.usual(request)

    def wait_for(self, count: int, seconds: float = 5.0) -> list[Arrived]:
        """The first `count` requests; fails when they do not come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.arrived) >= count, timeout=seconds)
            return self.arrived[:count]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens on a free port of loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.take(Arrived(self.command, headers, json.loads(raw) if raw else None))
            body = b"" if reply.body is None else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_OPTIONS = do_POST  # noqa: N815 - http.server finds handlers by this name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/events"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
