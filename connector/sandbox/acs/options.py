"""What can be switched in the ACS stand-in while it runs. Everything not confirmed about the service is here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

RATES = {
    # Sends per minute and hour, status reads per minute and hour: the published quotas of ACS e-mail.
    "off": None,
    "custom": (30, 100, 60, 200),
    "managed": (5, 10, 10, 20),
}
REPEATS = ("same", "reject", "duplicate")


@dataclass
class AcsOptions:
    """Settings of the ACS stand-in; times are in seconds of the sandbox's clock.

    Rates are off by default: the real ones are per subscription, and a busy test run would meet them.
    """

    # The skew that the service accepts in x-ms-date is not confirmed, so it is checked only when set.
    clock_skew_seconds: float | None = None
    # The answer to an unknown api-version is not confirmed.
    unknown_version_status: int = 400
    # Versions accepted beside those of the current official clients.
    more_versions: list[str] = field(default_factory=list)

    # Default quotas of a tenant; None switches one off. The status of a refusal is not confirmed.
    purchases_per_tenant: int | None = 1
    searches_per_week: int | None = 5
    number_limit_status: int = 403
    # Recorded: a search result expires about 16 minutes ahead, though the contract says less than 15.
    search_expires_seconds: float = 960.0
    # An error code and message that the next operations end with instead of succeeding.
    failing_operations: list[dict[str, str]] = field(default_factory=list)

    # The status of a SIP configuration that contradicts itself is not confirmed.
    sip_conflict_status: int = 422

    # How long a mail stays Running (recorded: 30), and when its delivery reports follow.
    email_seconds: float = 30.0
    report_seconds: float = 32.0
    email_retry_after: int = 30
    # What a repeated Operation-Id brings is not confirmed: the same answer, a 400, or a second mail.
    email_repeat: str = "same"
    email_rates: str = "off"
    email_rate_retry_after: bool = True
    email_too_large_status: int = 413
    # Codes the next accepted mails fail with, one each, e.g. EmailDroppedAllRecipientsSuppressed.
    failing_mails: list[str] = field(default_factory=list)
    # While set, the status of a mail answers 404 though it was accepted (seen by users of the SDK).
    email_status_lost: bool = False
    # Delivery status by recipient; others get Delivered. Case is free: the service's own varies.
    delivery_statuses: dict[str, str] = field(default_factory=dict)

    # A caller hears ringing for 30 s; the error of an answer after that is not confirmed.
    ringing_seconds: float = 30.0
    stale_call_status: int = 400
    # Redirecting a PSTN call to an identity raises an IncomingCall for the identity as well.
    second_incoming_call: bool = True

    def change(self, values: dict[str, Any]) -> None:
        """Sets several options at once, or none: an unknown name or value raises ValueError."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no such option: {name}")
            if not _fits(known[name], value):
                raise ValueError(f"not a value for {name}: {value!r}")
        if values.get("email_rates", "off") not in RATES:
            raise ValueError(f"email_rates is one of {', '.join(RATES)}")
        if values.get("email_repeat", "same") not in REPEATS:
            raise ValueError(f"email_repeat is one of {', '.join(REPEATS)}")
        for name, value in values.items():
            setattr(self, name, value)


def _fits(old: object, new: object) -> bool:
    """Whether a new value is of the old one's kind; the options that may be None are all numbers."""
    if old is None or new is None:
        return new is None or (isinstance(new, int | float) and not isinstance(new, bool))
    if isinstance(old, bool) or isinstance(new, bool):
        return isinstance(old, bool) and isinstance(new, bool)
    if isinstance(old, int | float):
        return isinstance(new, int | float)
    return isinstance(new, type(old))
