"""The one way to Dataverse, Entra ID and ACS: a `requests` session with a connection pool and our idea of trust."""

from __future__ import annotations

import requests
from requests.adapters import HTTPAdapter

from connector.settings import Settings

CONNECTIONS = 64
"""Connections kept open to one host: a burst of calls must not wait for TLS handshakes."""


def session(settings: Settings) -> requests.Session:
    """A session that trusts the public authorities, or only `ca_file` where that is set.

    The environment's bundle would win over a session's own (observed with requests), so it is not read then.
    """
    made = requests.Session()
    made.mount("https://", HTTPAdapter(pool_connections=8, pool_maxsize=CONNECTIONS))
    if settings.ca_file:
        made.trust_env = False
        made.verify = str(settings.ca_file)
    return made
