"""Tables of the directory: the local copy of what Dataverse knows, in the connector's own names.

They stand apart from the calls (a file of their own on SQLite), so that a long sync never holds the lock that a dial
needs, and so that the file of the calls can be shown to hold nothing of anybody. `mappings/dataverse.toml` says which
table and column of Dataverse each one is; types are as loose as the choice columns of Dataverse are.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Integer, MetaData, String, Table, Text

from connector.store.columns import UtcTime

metadata = MetaData()


def _mirror(name: str, *columns: Column[object]) -> Table:
    """A mirrored table: Dataverse's row id, the columns, and the full read that saw the row last."""
    seen = Column("generation", Integer, nullable=False)
    return Table(name, metadata, Column("id", String(36), primary_key=True), *columns, seen)


def _id(name: str, *, index: bool = True) -> Column[object]:
    # Each index makes a first read of a million rows slower: only what is searched by has one.
    return Column(name, String(36), index=index)


agents = _mirror(
    "agents",
    Column("name", String(300)),
    Column("email", String(320)),
    Column("identity", String(36)),
    Column("country_name", String(120)),
    Column("recipients", Text),
    _id("phone_number_id", index=False),
    _id("mailbox_id", index=False),
    Column("disabled", Boolean),
    Column("access_mode", Integer),
    Column("attributes", JSON),
)
agent_statuses = _mirror("agent_statuses", _id("agent_id"), _id("presence_id"), Column("logged_in", Boolean))
presences = _mirror("presences", Column("name", String(200)), Column("base_status", Integer))
mailboxes = _mirror(
    "mailboxes",
    Column("state", Integer),
    Column("outgoing_method", Integer),
    Column("outgoing_enabled", Boolean),
    Column("outgoing_status", Integer),
    Column("approval", Integer),
    Column("approved_by_admin", Boolean),
)
resources = _mirror("resources", _id("agent_id"), Column("resource_type", Integer), Column("state", Integer))
resource_profiles = _mirror("resource_profiles", _id("resource_id"), _id("profile_id"), Column("state", Integer))
capacity_profiles = _mirror("capacity_profiles", Column("name", String(200)), Column("state", Integer))
work_stream_profiles = _mirror("work_stream_profiles", _id("work_stream_id"), _id("profile_id"))
work_streams = _mirror(
    "work_streams",
    Column("name", String(200)),
    Column("direction", Integer),
    Column("stream_source", Integer),
    Column("state", Integer),
)
voice_channels = _mirror("voice_channels", _id("work_stream_id"), _id("phone_number_id"), Column("state", Integer))
phone_numbers = _mirror(
    "phone_numbers",
    Column("number", String(100)),
    Column("country", String(10)),
    Column("outbound_enabled", Boolean),
    Column("source", Integer),
    Column("state", Integer),
)
templates = _mirror(
    "templates",
    Column("title", String(200), index=True),
    Column("subject", Text),
    Column("body", Text),
    Column("html", Text),
    Column("language", Integer),
)

sync_progress = Table(
    "sync_progress",
    metadata,
    Column("name", String(40), primary_key=True),
    # Where the next read goes on: a page of a full read under way, or the changes since the last complete one.
    Column("next_link", Text),
    Column("delta_link", Text),
    Column("generation", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("completed_at", UtcTime),
    # The entity set and columns that the links read: if others are wanted, the table is read from the start.
    Column("selected", Text),
    # Whether the full read that `next_link` continues asked for change tracking.
    Column("tracked", Boolean),
    # The first of the full reads, up to the last, that may not have been shown every row.
    Column("restricted_since", Integer),
    # When the full read that `next_link` continues began.
    Column("began_at", UtcTime),
    # What stands in the way: a list of {"code", "text"}, see `connector.directory.problems`.
    Column("problems", JSON),
)
"""How far each table has been read, and when ACS was.

A `next_link` marks progress; only a completed read leaves a `delta_link`.
"""

acs_numbers = Table(
    "acs_numbers",
    metadata,
    Column("number", String(32), primary_key=True),
    Column("country", String(2), nullable=False),
    Column("calling", String(20), nullable=False),
    Column("number_type", String(20), nullable=False),
)
"""Numbers that the ACS resource has bought."""

sip_routing = Table(
    "sip_routing",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trunks", Integer, nullable=False),
    Column("routes", JSON, nullable=False),
)
"""Direct routing of the ACS resource: one row, the routes in the order in which they apply."""

location_checks = Table(
    "location_checks",
    metadata,
    Column("agent_id", String(36), primary_key=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("permission", String(10), nullable=False),
    Column("accuracy", String(12), nullable=False),
    Column("country", String(2)),
)
"""What each agent's browser last said of its location: whether it may tell it, how exactly, the country; not where."""

validation_runs = Table(
    "validation_runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("agents", Integer, nullable=False),
    Column("ready", Integer, nullable=False),
    Column("first", Boolean, nullable=False),
    # Whether the administrators were told of it, or there was nothing to tell.
    Column("told", Boolean, nullable=False),
)
"""Validations of everybody, kept for a month."""

validation_standing = Table(
    "validation_standing",
    metadata,
    Column("agent_id", String(36), primary_key=True),
    Column("code", String(60), primary_key=True),
)
"""What is wrong with whom, and with everybody, as far as the administrators know."""

validation_changes = Table(
    "validation_changes",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("agent_id", String(36), primary_key=True),
    Column("code", String(60), primary_key=True),
    Column("what", String(10), nullable=False),
)
"""What is new or resolved in the latest validation, until the administrators know."""
