"""Puts a caller through to an agent, with ACS Call Automation."""

from __future__ import annotations

import uuid
from email.utils import formatdate

from azure.communication.callautomation import (
    CallAutomationClient,
    CommunicationIdentifier,
    CommunicationUserIdentifier,
    PhoneNumberIdentifier,
)

from connector.acs.pipeline import Access, explained, options


class Calls:
    """Call Automation of one resource. Safe to share between threads."""

    def __init__(self, access: Access) -> None:
        """Raises SettingsError without an endpoint."""
        self._client = CallAutomationClient(access.endpoint, access.credential, **options(access))

    def redirect(self, context: str, target: str, repeat_id: str) -> None:
        """Redirects a ringing call to `target`, an ACS identity ("8:acs:…") or a phone number (E.164).

        With the same `repeat_id` (a UUID) ACS does it once, however often it is asked.
        Raises RetryLater, AuthenticationError or ServiceRejected.
        """
        headers = {
            "Repeatability-Request-ID": _version_4(repeat_id),
            "Repeatability-First-Sent": formatdate(usegmt=True),
        }
        with explained("ACS Call Automation"):
            self._client.redirect_call(context, _identifier(target), headers=headers)


def _identifier(target: str) -> CommunicationIdentifier:
    return PhoneNumberIdentifier(target) if target.startswith("+") else CommunicationUserIdentifier(target)


def _version_4(repeat_id: str) -> str:
    """The contract asks for a version 4 UUID: ours is derived (version 5), so only its version bits change."""
    return str(uuid.UUID(int=uuid.UUID(repeat_id).int, version=4))
