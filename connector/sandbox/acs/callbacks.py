"""Call Automation's callbacks: CloudEvents to the address that answered a call, each signed with a JWT.

Issuer, paths, algorithm and the five minutes of life are documented; keys are made here and served by the stand-in.
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from connector.clock import Clock
from connector.sandbox.courier import Courier

ISSUER = "https://acscallautomation.communication.azure.com"
LIFETIME = timedelta(minutes=5)
POST_SECONDS = 30.0

log = logging.getLogger(__name__)


class Signer:
    """Signs callbacks; `audience` is the immutable id of the ACS resource."""

    def __init__(self, clock: Clock, audience: str) -> None:
        self._clock = clock
        self._audience = audience
        self._kid = uuid.uuid4().hex

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        # Made when first needed: it takes a tenth of a second that most runs can save.
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self) -> str:
        """A token for one callback."""
        now = self._clock.now()
        claims = {"iss": ISSUER, "aud": self._audience, "iat": now, "nbf": now, "exp": now + LIFETIME}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def keys(self) -> dict[str, Any]:
        """The public key set, as `/calling/keys` answers it."""
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._kid, "use": "sig", "alg": "RS256"}]}


@dataclass
class Connection:
    """An answered call."""

    key: str
    server_call_id: str
    correlation_id: str
    callback: str
    context: str | None
    caller: dict[str, Any]
    called: dict[str, Any]
    answered_at: datetime
    state: str = "connected"


class Callbacks:
    """Posts the events of answered calls, those of one batch in order."""

    def __init__(self, clock: Clock, courier: Courier, signer: Signer) -> None:
        self._clock = clock
        self._courier = courier
        self._signer = signer

    def send(self, connection: Connection, *types: str) -> None:
        """Posts one event of each type, one request each, as was recorded."""
        events = [self._event(connection, name) for name in types]
        self._courier.submit(lambda session: self._post(session, connection.callback, events))

    def _event(self, connection: Connection, name: str) -> dict[str, Any]:
        data: dict[str, Any] = {
            "callConnectionId": connection.key,
            "serverCallId": connection.server_call_id,
            "correlationId": connection.correlation_id,
            "operationContext": connection.context,
        }
        if name == "ParticipantsUpdated":
            people = (connection.caller, connection.called)
            data["participants"] = [{"identifier": person, "isMuted": False} for person in people]
            data["sequenceNumber"] = 1
        return {
            "id": str(uuid.uuid4()),
            "source": f"calling/callConnections/{connection.key}",
            "type": f"Microsoft.Communication.{name}",
            "data": data,
            "time": self._clock.now().astimezone(UTC).isoformat(),
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": f"calling/callConnections/{connection.key}",
        }

    def _post(self, session: requests.Session, url: str, events: list[dict[str, Any]]) -> None:
        for event in events:
            headers = {
                "Authorization": f"Bearer {self._signer.token()}",
                "Content-Type": "application/cloudevents-batch+json",
            }
            try:
                session.post(url, data=json.dumps([event]).encode(), headers=headers, timeout=POST_SECONDS)
            except requests.RequestException as error:
                log.warning("a call automation callback was not taken: %s", type(error).__name__)
