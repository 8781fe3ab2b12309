"""What the ACS clients share: identity, trust, one connection pool, and the translation of their errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import RequestsTransport

from connector.dataverse.tokens import Tokens
from connector.errors import AuthenticationError, ConnectorError, NotFound, RetryLater, ServiceRejected
from connector.http import Session
from connector.settings import Settings

CONNECT_SECONDS, READ_SECONDS = 5, 20


@dataclass(frozen=True)
class Access:
    """What every ACS client needs: where, as whom, through which session."""

    settings: Settings
    tokens: Tokens
    http: Session

    @property
    def credential(self) -> Any:
        """The access key where one is set, else the Entra identity. Any: the SDKs take either."""
        if self.settings.acs_access_key:
            return AzureKeyCredential(self.settings.acs_access_key.get_secret_value())
        return self.tokens

    @property
    def endpoint(self) -> str:
        """The resource's address. Raises SettingsError where it is not set."""
        self.settings.require("acs_endpoint")
        return self.settings.acs_endpoint


def options(access: Access) -> dict[str, Any]:
    """Keywords for every client.

    The SDKs retry by sleeping as long as a service says, without a limit and without our knowing; so they retry
    nothing here, and the outbox or the caller decides.
    """
    transport = RequestsTransport(
        session=access.http,
        session_owner=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        # The transport says for each request what to trust, over the session's own word.
        connection_verify=str(access.settings.ca_file) if access.settings.ca_file else True,
    )
    return {"transport": transport, "retry_total": 0}


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns errors of the SDKs into ours. Their texts are not passed on: they may quote a message or a number."""
    try:
        yield
    except (ServiceRequestError, ServiceResponseError) as error:
        raise RetryLater(f"{what} cannot be reached ({type(error).__name__})") from None
    except HttpResponseError as error:
        headers: Any = getattr(error.response, "headers", {})
        code = (error.error.code if error.error else "") or ""
        raise refusal(what, error.status_code or 0, headers, code) from None


def refusal(what: str, status: int, headers: Mapping[str, str], code: str = "") -> ConnectorError:
    """The error that an answer of ACS means; a code in its headers is the better one."""
    request_id = headers.get("x-ms-request-id") or headers.get("x-ms-client-request-id")
    code = headers.get("x-ms-error-code") or code
    told = f"{what} answered {status}{f' ({code})' if code else ''}"
    # What is neither acceptance nor refusal is the answer of a proxy, or of a service that is out of order.
    if status in (408, 429) or not 400 <= status < 500:
        return RetryLater(f"{told}: busy or out of order", retry_after=_retry_after(headers), request_id=request_id)
    if status in (401, 403):
        return AuthenticationError(
            f"{told}: check EMERGENCY_ACS_ACCESS_KEY or the role of the application", request_id=request_id
        )
    kind = NotFound if status == 404 else ServiceRejected
    return kind(f"{told}: it refuses this request", status=status, code=code, request_id=request_id)


def _retry_after(headers: Any) -> float | None:
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
