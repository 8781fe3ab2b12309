"""The one way to Dataverse, Entra ID and ACS: a `requests` session with a connection pool and our idea of trust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri

from connector.settings import Settings

CONNECTIONS = 64
"""Connections kept open to one host: a burst of calls must not wait for TLS handshakes."""


class Session(requests.Session):
    """A session with a short way for requests that are made on the way of a dial. Safe to share between threads."""

    def __init__(self) -> None:
        super().__init__()
        self._surroundings: dict[str, Mapping[str, Any]] = {}

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: tuple[float, float],
    ) -> requests.Response:
        """Sends one request and reads the whole answer. `timeout`: seconds to connect, and between two bytes.

        As `request`, in two thirds of its processor time: no cookies, no redirects, no hooks, and the environment's
        proxies are looked up once a host. Raises requests.RequestException.
        """
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = requote_uri(url)
        prepared.headers = CaseInsensitiveDict(headers)
        if body is not None:
            prepared.headers["Content-Length"] = str(len(body))
        prepared.body = body
        prepared.hooks = default_hooks()
        prepared._cookies = RequestsCookieJar()  # type: ignore[attr-defined]  # noqa: SLF001 (what an adapter expects of a prepared request)
        adapter = self.get_adapter(prepared.url)
        response = adapter.send(prepared, timeout=timeout, **self._surrounding(prepared.url))
        response.content  # noqa: B018 (read here, so that the connection is free again)
        return response

    def _surrounding(self, url: str) -> Mapping[str, Any]:
        """What the environment and the settings say of requests to a host: proxies and trust."""
        host = urlsplit(url).netloc
        known = self._surroundings.get(host)
        if known is None:
            known = self.merge_environment_settings(url, {}, None, None, None)
            self._surroundings[host] = known
        return {**known, "stream": False}


def session(settings: Settings) -> Session:
    """A session that trusts the public authorities, or only `ca_file` where that is set.

    The environment's bundle would win over a session's own (observed with requests), so it is not read then.
    """
    made = Session()
    made.mount("https://", HTTPAdapter(pool_connections=8, pool_maxsize=CONNECTIONS))
    if settings.ca_file:
        made.trust_env = False
        made.verify = str(settings.ca_file)
    return made
