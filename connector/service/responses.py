"""What callers are told about a call: its number, its window, and what the agent's panel shows."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from connector.calls.model import AgentState, Call

ALERT = "An emergency call is in progress."


class Panel(BaseModel):
    """Step 5: what the agent's communication panel offers while an emergency call is on.

    `hidden` are commands of a customised active-conversation form that must not be offered.
    """

    emergency: bool
    drill: bool
    alert: str | None
    controls: list[Literal["device_settings", "end_call"]]
    hidden: list[Literal["save", "refresh"]]
    callback_number: str | None
    expires_at: datetime | None


class CallAnswer(BaseModel):
    """The answer to an announcement. `status` is "accepted", or "ignored" for what is no emergency."""

    status: Literal["accepted", "ignored"]
    call_id: str | None = None
    callback_number: str | None = None
    expires_at: datetime | None = None
    panel: Panel | None = None


def panel(call: Call, state: AgentState | None) -> Panel:
    """The panel of a call: restricted while it is on, ordinary afterwards."""
    number, until = _callback(call, state)
    on = call.is_open
    return Panel(
        emergency=on,
        drill=call.drill,
        alert=(f"DRILL. {ALERT}" if call.drill else ALERT) if on else None,
        controls=["device_settings", "end_call"] if on else [],
        hidden=["save", "refresh"] if on else [],
        callback_number=number,
        expires_at=until,
    )


def answer(call_id: str, state: AgentState | None, *, with_panel: bool) -> CallAnswer:
    """The answer about a call that was dealt with; little is left to say once it is forgotten."""
    call = state.call(call_id) if state else None
    if call is None:
        return CallAnswer(status="accepted", call_id=call_id)
    number, until = _callback(call, state)
    return CallAnswer(
        status="accepted",
        call_id=call_id,
        callback_number=number,
        expires_at=until,
        panel=panel(call, state) if with_panel else None,
    )


def _callback(call: Call, state: AgentState | None) -> tuple[str | None, datetime | None]:
    lease = state.lease if state else None
    return (lease.number, lease.expires_at) if lease else (call.platform_number, None)
