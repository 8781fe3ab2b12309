"""Tells the administrators what a validation found: a summary the first time, afterwards what changed."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from connector.drift import EVERYBODY, Change, Run
from connector.notifications.message import Message
from connector.notifications.plain import plain

MOST = 200
"""Changes named in one mail; more are counted. Behind so many stands one cause, which the report shows better."""


def compose(run: Run, changes: Sequence[Change], names: Mapping[str, str]) -> Message:
    """The mail about a run. `names` are the agents' names by id."""
    broke = [change for change in changes if change.what == "broke"]
    mended = [change for change in changes if change.what == "mended"]
    counts = f"{run.ready} of {run.agents} agents are ready to call for help, {run.agents - run.ready} are not."
    if run.first:
        subject = f"Emergency calling: {run.ready} of {run.agents} agents are ready"
        parts = [_part("Wrong for everybody", [change for change in broke if change.agent_id == EVERYBODY], names)]
        parts += ["<p>This is the first validation. From now on only what changes is told.</p>"]
    else:
        subject = f"Emergency calling: {len(broke)} newly broken, {len(mended)} mended"
        parts = [_part("Newly broken", broke, names), _part("Mended", mended, names)]
    told = "<p><code>emergency-connector validate</code> tells why and what to do, code by code.</p>"
    text = f"<p>{counts}</p>{''.join(parts)}{told}"
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
