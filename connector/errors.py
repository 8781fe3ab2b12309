"""Every error of the connector, grouped by what to do about it.

    ConnectorError
    ├── SettingsError          mend the settings, then start again
    ├── AuthenticationError    mend the credential or its permission
    ├── RetryLater             try again after `retry_after` seconds
    ├── ServiceRejected        the service will never accept this request: do not repeat it
    │   ├── NotFound           what was asked for does not exist
    │   ├── MissingPrivilege   give the application user the privilege that the message names
    │   └── EditConflict       somebody else changed the row: read it again
    ├── AlreadyRunning         somebody else does it now: nothing to do
    ├── GivenUp                its time is over: something else must be done
    ├── DeltaExpired           the change-tracking token is too old: read in full
    └── BadData                what arrived cannot be read

Each message says what happened, to what, and what to do. It never holds a name, number, address, location or secret.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Something the connector can explain. `request_id`: the service's own id of the failed request."""

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(f"{message} [request {request_id}]" if request_id else message)
        self.request_id = request_id


class SettingsError(ConnectorError):
    """A setting is missing or wrong."""


class AuthenticationError(ConnectorError):
    """Entra ID, Dataverse or ACS did not accept who we are."""


class RetryLater(ConnectorError):
    """The service is busy or out of reach.

    `retry_after` is its own wish in seconds, None where it named none; `code` its own error code.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, code: str = "", request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after = retry_after
        self.code = code


class ServiceRejected(ConnectorError):
    """The service refused the request for good. `status` is its HTTP status, `code` its own error code."""

    def __init__(self, message: str, *, status: int, code: str = "", request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status
        self.code = code


class NotFound(ServiceRejected):
    """What was asked for does not exist."""


class MissingPrivilege(ServiceRejected):
    """The application user lacks a privilege. `privilege` is its name, empty where the service names none."""

    def __init__(
        self, message: str, *, status: int = 403, code: str = "", request_id: str | None = None, privilege: str = ""
    ) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id)
        self.privilege = privilege


class EditConflict(ServiceRejected):
    """The row changed since it was read."""


class AlreadyRunning(ConnectorError):
    """Another process or machine is doing this at the moment."""


class GivenUp(ConnectorError):
    """An effect did not succeed within its time."""


class DeltaExpired(ConnectorError):
    """The change-tracking token is no longer accepted."""


class BadData(ConnectorError):
    """What arrived cannot be read."""
