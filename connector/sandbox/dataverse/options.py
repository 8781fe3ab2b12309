"""What a test or the control route can change on the running Dataverse stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field

ZERO_GUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Rights:
    """What a client or an impersonated user may do; everything, unless said otherwise.

    `denied` holds privilege names as Dataverse spells them, such as `prvWriteUser`. Without `organisation_read` the
    reads are not organisation-wide, which change tracking requires. [documented: change tracking, impersonation]
    """

    organisation_read: bool = True
    supervisor: bool = True
    act_on_behalf: bool = True
    denied: frozenset[str] = frozenset()

    def __and__(self, other: Rights) -> Rights:
        """The effective rights under impersonation are the intersection of both. [documented]"""
        return Rights(
            self.organisation_read and other.organisation_read,
            self.supervisor and other.supervisor,
            self.act_on_behalf and other.act_on_behalf,
            self.denied | other.denied,
        )


@dataclass
class DataverseOptions:
    """Settings of the stand-in, read at every request. Where Microsoft's behaviour is not confirmed, it is set here."""

    organisation_url: str = ""
    """The address that tokens must be issued for; empty: the address that the request came to."""

    rights: dict[str, Rights] = field(default_factory=dict)
    """Rights by client id or systemuserid; who is not named has them all."""
    other_units: frozenset[str] = frozenset()
    """Ids of rows of another business unit, which only organisation-level read shows. [documented: security roles]"""
    members: frozenset[str] | None = None
    """The client ids that are application users here; None: every one."""

    expired_token_status: int = 400
    """Status for an expired delta token: not confirmed by any document, hence a setting."""
    expired_token_code: str = "0x80044352"  # noqa: S105 - an error code, not a secret
    """Error code for an expired delta token: a guess, likewise."""
    untracked_tables: frozenset[str] = frozenset()
    """Tables whose change tracking is switched off."""
    recipients_column: bool = True
    """Whether `systemuser.msdyn_emergencyemailrecipients` exists in this organisation."""
    repeat_next_link: bool = False
    """A fault: every page names itself as the next one."""
    page_size: int = 5000
    """The most rows a page holds, and the size where none is asked for. [documented: 5,000]"""

    request_limit: int | None = 6000
    """Requests a client may send in 300 s; None: no limit. [documented: 6,000]"""
    execution_limit: float | None = 1200.0
    """Seconds of execution a client may use in 300 s. [documented: 1,200]"""
    concurrency_limit: int | None = 52
    """Requests a client may have open at once. [documented: 52]"""

    webhook_seconds: float = 60.0
    """How long the sender waits for a receiver. [documented: 60 s]"""
    payload_limit: int = 256 * 1024
    """Above this the four large properties are removed. [documented: 256 KB]"""
    asynchronous_offset_minutes: int = 0
    """The offset that `OperationCreatedOn` of asynchronous steps carries: +0000, +0300 and -0700 were recorded."""
    same_operation_on_retry: bool = True
    """Whether the second attempt repeats `OperationId`: not confirmed."""
    global_api_table: str = "none"
    """`PrimaryEntityName` of a step on a Global custom API: not confirmed."""
    global_api_id: str = ZERO_GUID
    """`PrimaryEntityId` of the same: not confirmed."""
    synchronous_failure_status: int = 400
    """What the writer sees when a synchronous step fails: status and code are not confirmed."""
    synchronous_failure_code: str = "0x80050203"
    """The code that goes with it, a guess."""
    envelope_keys: int = 30
    """Top-level keys of the context: 30 today, 29 without the user agent, 27 in 2018. [recorded traffic]"""
    escaped_slashes: str = "dates"
    r"""Where `/` is written as `\/`: in `dates`, in `all` texts, or in `none`; all three were recorded."""
    presence_modified_by: str = "SYSTEM"
    """`msdyn_presencemodifiedby` after `CCaaS_ModifyAgentPresence`: not confirmed."""
    presence_needs_login: bool = False
    """Whether a presence change has no effect on an agent who is not logged in. [third-party code]"""
    roll_back_after_webhook: bool = False
    """A fault: the transaction rolls back although every synchronous step succeeded."""
