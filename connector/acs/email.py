"""Sends messages through ACS Email, each under an operation id of ours that stays the same over every repetition."""

from __future__ import annotations

from typing import Any

from azure.communication.email import EmailClient
from azure.core.rest import HttpRequest

from connector.acs.pipeline import Access, explained, options
from connector.errors import NotFound, ServiceRejected

API_VERSION = "2025-09-01"
ACCEPTED = frozenset({"NotStarted", "Running", "Succeeded"})


class Email:
    """ACS Email of one resource. Safe to share between threads."""

    def __init__(self, access: Access) -> None:
        """Raises SettingsError without endpoint or sender."""
        access.settings.require("email_sender")
        self.sender = access.settings.email_sender
        self._client = EmailClient(access.endpoint, access.credential, **options(access))

    def send(self, message: dict[str, Any], operation_id: str, *, repeated: bool) -> None:
        """Hands a message over; returns once the service has accepted it, which is before anybody has got it.

        `repeated` says that the same operation id may have been sent before. Whether ACS then answers with the first
        result or refuses is not documented, so a refusal is checked against the operation itself.
        Raises RetryLater, AuthenticationError or ServiceRejected.
        """
        try:
            with explained("ACS Email"):
                # Without polling: waiting for the final status takes 30 s and says nothing about delivery.
                self._client.begin_send(message, operation_id=operation_id, polling=False).result()
        except ServiceRejected:
            if not (repeated and self.was_accepted(operation_id)):
                raise

    def was_accepted(self, operation_id: str) -> bool:
        """Whether the service knows an operation as under way or done."""
        request = HttpRequest("GET", f"/emails/operations/{operation_id}?api-version={API_VERSION}")
        try:
            with explained("ACS Email"):
                response = self._client.send_request(request)
                response.raise_for_status()
        except NotFound:
            return False
        return response.json().get("status") in ACCEPTED
