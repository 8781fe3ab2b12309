"""Whether a dial that was served and forgotten is delivered again, or is a new call under a used id. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from connector.calls.effects import derive_id
from connector.calls.events import Dialled

SAME_DIAL = timedelta(minutes=1)
"""A dial that was served may be delivered again with a time up to this after it, if clocks differ."""
LATEST_DELIVERY = timedelta(hours=3)
"""How late a dial that does not say when it was made may be delivered again."""


def new_dial(event: Dialled, served: datetime) -> Dialled | None:
    """The dial under an id of its own if it is a new call, None if it is the one that was `served`.

    An announcer may use a call's id again, as a soft-phone does that counts from one after each start. What was
    dialled after the first was served, or comes long after it without saying when, is therefore a new call.
    """
    told = event.dialled_at
    if (told > served + SAME_DIAL) if told else (event.at > served + LATEST_DELIVERY):
        again = told.isoformat() if told else served.isoformat()
        return replace(event, call_id=derive_id(event.call_id, "again", again))
    return None
