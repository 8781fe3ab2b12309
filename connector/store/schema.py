"""Tables of the calls: everything here but `pool_numbers` and `seen` is deleted when an agent's window closes."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table

from connector.store.columns import UtcTime

metadata = MetaData()

emergencies = Table(
    "emergencies",
    metadata,
    Column("agent_id", String(80), primary_key=True),
    Column("window_ends_at", UtcTime),
    Column("prior_presence_id", String(36)),
)
"""One row an agent, from the first dial until all is forgotten. Locking it puts the agent's events in order."""

calls = Table(
    "calls",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("agent_id", ForeignKey("emergencies.agent_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("dialled", String(32)),
    Column("country", String(80)),
    Column("location", String(2000)),
    Column("drill", Boolean, nullable=False),
    Column("agent_identity", String(300)),
    Column("platform_number", String(32)),
    Column("dialled_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("end_cause", String(20)),
)

leases = Table(
    "leases",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("agent_id", ForeignKey("emergencies.agent_id", ondelete="CASCADE"), nullable=False, index=True),
    # Every row is an active lease, so this is the promise "never the wrong agent", kept by the database itself.
    Column("number", String(32), nullable=False, unique=True),
    Column("source", String(10), nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

pool_numbers = Table(
    "pool_numbers",
    metadata,
    Column("number", String(32), primary_key=True),
    Column("country", String(2), nullable=False),
    Column("last_leased_at", UtcTime, nullable=False),
    Index("pool_numbers_rest", "country", "last_leased_at", "number"),
)
"""Numbers of the ACS resource that may be leased. The one that was leased longest ago is taken first."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When a number was last leased that never was."""

effects = Table(
    "effects",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("call_id", String(36), nullable=False, index=True),
    Column("agent_id", String(80), nullable=False, index=True),
    Column("kind", String(30), nullable=False),
    # Effects of one lane are performed one after the other, in the order in which they were asked for.
    Column("lane", String(100)),
    Column("payload", JSON, nullable=False),
    Column("status", String(10), nullable=False),
    Column("run_at", UtcTime, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", String(36)),
    Column("claimed_until", UtcTime),
    # Grows with each claim: only the newest claim may say that the effect is done.
    Column("fence", Integer, nullable=False),
    Column("last_error", String(300)),
    Index("effects_due", "status", "run_at"),
    Index("effects_lane", "lane", "status", "position"),
)
"""The outbox. `status` is pending, done or failed; the payload is emptied as soon as it is not needed."""

messages = Table(
    "messages",
    metadata,
    Column("operation_id", String(36), primary_key=True),
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("recipients", Integer, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("undelivered", Integer, nullable=False),
)
"""Receipts of the messages that a mail service accepted: counts, no addresses."""

seen = Table(
    "seen",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("seen_at", UtcTime, nullable=False, index=True),
)
"""Hashes of deliveries already served, kept longer than any sender repeats itself. Nothing can be read from them."""
