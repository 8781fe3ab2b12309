"""Tells the administrators what a validation found: a summary the first time, afterwards what changed."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from connector.notifications.message import Message
from connector.notifications.plain import plain
from connector.prerequisites.changes import EVERYBODY, Change, Run

MOST = 200
"""Changes named in one mail; more are counted. Behind so many stands one cause, which the report shows better."""


def compose(run: Run, changes: Sequence[Change], names: Mapping[str, str]) -> Message:
    """The mail about a run. `names` are the agents' names by id."""
    new = [change for change in changes if change.what == "new"]
    resolved = [change for change in changes if change.what == "resolved"]
    counts = f"{run.ready} of {run.agents} agents are ready to call for help, {run.agents - run.ready} are not."
    if run.first:
        subject = f"Emergency calling: {run.ready} of {run.agents} agents are ready"
        parts = [_part("Wrong for everybody", [change for change in new if change.agent_id == EVERYBODY], names)]
        parts += ["<p>This is the first validation. From now on a mail comes only when something changes.</p>"]
    else:
        subject = f"Emergency calling: {len(new)} new, {len(resolved)} resolved"
        parts = [_part("New", new, names), _part("Resolved", resolved, names)]
    hint = "<p>Run <code>emergency-connector validate</code> for the cause of each code and what to do about it.</p>"
    text = f"<p>{counts}</p>{''.join(parts)}{hint}"
    return Message(subject, plain(text), text)


def _part(title: str, changes: Sequence[Change], names: Mapping[str, str]) -> str:
    if not changes:
        return ""
    rows = "".join(
        f"<li>{html.escape(_who(change, names))}: {html.escape(change.code)}</li>" for change in changes[:MOST]
    )
    more = f"<li>and {len(changes) - MOST} more</li>" if len(changes) > MOST else ""
    return f"<h3>{title}</h3><ul>{rows}{more}</ul>"


def _who(change: Change, names: Mapping[str, str]) -> str:
    return "everybody" if change.agent_id == EVERYBODY else names.get(change.agent_id) or "a user who is gone"
