"""Whether Dataverse could send from an agent's mailbox: one rule, for the call and for the check of prerequisites.

Microsoft does not say which columns make "enabled". Judged here: active, sent by server-side synchronisation, outgoing
e-mail enabled, tested with success, and its address approved. Incoming e-mail does not matter: the notice only leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector.mappings import Mappings


@dataclass(frozen=True)
class Mailbox:
    """A mailbox, judged column by column. `method` and `approval` are what people read in Dynamics."""

    active: bool
    server_side: bool
    outgoing_enabled: bool
    tested: bool
    test_succeeded: bool
    approved: bool
    method: str = ""
    approval: str = ""

    @property
    def ready(self) -> bool:
        """Whether a message would leave it now."""
        return (
            self.active
            and self.server_side
            and self.outgoing_enabled
            and self.tested
            and self.test_succeeded
            and self.approved
        )


def mailbox(row: Any, mappings: Mappings) -> Mailbox | None:
    """The mailbox of a row that has its columns as `box_…`; None where the agent has none."""
    if row.box_id is None:
        return None
    choices = mappings.choices
    return Mailbox(
        active=row.box_state == choices["active"],
        server_side=row.box_outgoing_method == choices["method_server_side"],
        outgoing_enabled=bool(row.box_outgoing_enabled),
        tested=row.box_outgoing_status not in (None, choices["status_not_run"]),
        test_succeeded=row.box_outgoing_status == choices["status_success"],
        approved=row.box_approval == choices["approval_approved"] or bool(row.box_approved_by_admin),
        method=mappings.label("delivery_method", row.box_outgoing_method),
        approval=mappings.label("approval", row.box_approval),
    )
