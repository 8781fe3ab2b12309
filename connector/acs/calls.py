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

from connector.acs.pipeline import credential, explained, options
from connector.dataverse.tokens import Tokens
from connector.settings import Settings


class Calls:
    """Call Automation of one resource. Safe to share between threads."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        """Raises SettingsError without an endpoint."""
        settings.require("acs_endpoint")
        self._client = CallAutomationClient(settings.acs_endpoint, credential(settings, tokens), **options(settings))

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
