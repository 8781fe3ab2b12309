"""What the tests of the Dataverse stand-in share: a signed-in session, and a real receiver of webhooks on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import msal
import requests

from connector.sandbox import Sandbox
from connector.sandbox.dataverse import DataverseOptions


def plain_session(sandbox: Sandbox) -> requests.Session:
    """A session that trusts the sandbox and nothing of the environment."""
    session = requests.Session()
    session.trust_env = False
    session.verify = sandbox.info.ca_file
    return session


def sign_in(sandbox: Sandbox) -> str:
    """A token for the sandbox's Dataverse, by MSAL."""
    with plain_session(sandbox) as session:
        application = msal.ConfidentialClientApplication(
            sandbox.info.client_id,
            authority=sandbox.info.authority,
            client_credential=sandbox.info.client_secret,
            instance_discovery=False,
            http_client=session,
        )
        answer = application.acquire_token_for_client([f"{sandbox.info.dataverse_url}/.default"])
    return str(answer["access_token"])


def reset_options(sandbox: Sandbox) -> None:
    vars(sandbox.dataverse.options).update(vars(DataverseOptions()))


class Api:
    """The Web API below its root, with a token."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.root = f"{sandbox.info.dataverse_url}/api/data/v9.2"
        self.session = plain_session(sandbox)
        self.session.headers["Authorization"] = f"Bearer {sign_in(sandbox)}"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("https://") else f"{self.root}/{path}"
        return self.session.request(method, url, json=body, headers=named, timeout=10)

    def rows(self, table: str, condition: str = "", **options: str) -> list[dict[str, Any]]:
        """All rows that meet a filter, in one page."""
        pairs = {f"${name}": value for name, value in options.items()} | ({"$filter": condition} if condition else {})
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())
        answer = self("GET", f"{table}?{query}")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    def create(self, table: str, body: dict[str, Any]) -> str:
        """The id of a new row."""
        answer = self("POST", table, body)
        assert answer.status_code == 204, answer.text
        return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")


@dataclass
class Inbox:
    """What a receiver got, and how it answers: the statuses in turn, then 200."""

    url: str
    arrived: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Inbox]:
    inbox = Inbox("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.arrived.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(inbox.statuses.pop(0) if inbox.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
