"""Loads and stores the state of one agent's emergency. Every function works inside the caller's transaction.

Statements on the way of a dial are constants: building one anew takes longer than the database needs to execute it.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from connector.calls.model import AgentState, Call, Lease
from connector.store.schema import NEVER, calls, effects, emergencies, leases, messages, pool_numbers, seen

_FREE = (
    select(pool_numbers.c.number)
    .outerjoin(leases, leases.c.number == pool_numbers.c.number)
    .where(pool_numbers.c.country == bindparam("wanted_country"), leases.c.id.is_(None))
    .order_by(pool_numbers.c.last_leased_at, pool_numbers.c.number)
    .limit(1)
    .with_for_update(skip_locked=True, of=pool_numbers)
)
_TAKE = (
    update(pool_numbers)
    .where(pool_numbers.c.number == _FREE.scalar_subquery())
    .values(last_leased_at=bindparam("taken_at", type_=pool_numbers.c.last_leased_at.type))
    .returning(pool_numbers.c.number)
)
_LOCKED = select(emergencies).where(emergencies.c.agent_id == bindparam("own")).with_for_update()
_PEEKED = select(emergencies).where(emergencies.c.agent_id == bindparam("own"))
_CALLS = select(calls).where(calls.c.agent_id == bindparam("own")).order_by(calls.c.position)
_LEASES = select(leases).where(leases.c.agent_id == bindparam("own")).order_by(leases.c.taken_at)
_OWN = update(emergencies).where(emergencies.c.agent_id == bindparam("own"))
_PRESENCE = _OWN.values(prior_presence_id=bindparam("prior"))
_CHANGED = _OWN.values(window_ends_at=bindparam("window"), prior_presence_id=bindparam("prior"))
_NEW_CALL, _NEW_LEASE = insert(calls), insert(leases)
CALL_TABLES = ("emergencies", "calls", "leases", "effects", "messages")
"""Tables that hold something of a call while it lasts."""


def insert_new(connection: Connection, table: Table, **values: Any) -> bool:
    """Inserts a row unless it is there already; whether it is new."""
    return bool(insert_all_new(connection, table, [values]))


def insert_all_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> set[Any]:
    """Inserts those rows that are not there already, in one statement; the keys of the new ones."""
    return set(connection.execute(_insert_new(connection.dialect.name, table), rows).scalars())


@cache
def _insert_new(dialect_name: str, table: Table) -> Any:
    """An insert for either dialect that passes over rows that are there already."""
    dialect = sqlite if dialect_name == "sqlite" else postgresql
    key = table.c.id if "id" in table.c else next(iter(table.primary_key))
    return dialect.insert(table).on_conflict_do_nothing().returning(key)


def load(connection: Connection, agent_id: str) -> AgentState:
    """The agent's state, locked until the transaction ends; a new one for an agent without calls."""
    if insert_new(connection, emergencies, agent_id=agent_id):
        return AgentState(agent_id)
    return _state(connection, connection.execute(_LOCKED, {"own": agent_id}).one())


def _state(connection: Connection, row: Any) -> AgentState:
    own = {"own": row.agent_id}
    return AgentState(
        row.agent_id,
        tuple(_call(found) for found in connection.execute(_CALLS, own)),
        tuple(_lease(found) for found in connection.execute(_LEASES, own)),
        row.window_ends_at,
        row.prior_presence_id,
    )


def save(connection: Connection, before: AgentState, after: AgentState) -> None:
    """Writes what `decide` changed. Raises IntegrityError if a number is another agent's meanwhile."""
    own = {"window": after.window_ends_at, "prior": after.prior_presence_id}
    if own != {"window": before.window_ends_at, "prior": before.prior_presence_id}:
        connection.execute(_CHANGED, {"own": after.agent_id, **own})
    for position, call in enumerate(after.calls):
        known = before.call(call.id)
        if known is None:
            connection.execute(_NEW_CALL, {"position": position, **_call_values(call)})
        elif known != call or before.calls.index(known) != position:
            connection.execute(
                update(calls).where(calls.c.id == call.id).values(position=position, **_call_values(call))
            )
    _save_leases(connection, before, after)


def _save_leases(connection: Connection, before: AgentState, after: AgentState) -> None:
    held = {lease.id: lease for lease in before.leases}
    for lease in after.leases:
        known = held.pop(lease.id, None)
        if known is None:
            connection.execute(_NEW_LEASE, {"agent_id": after.agent_id, **vars(lease)})
        elif known != lease:
            connection.execute(update(leases).where(leases.c.id == lease.id).values(expires_at=lease.expires_at))
    if held:
        connection.execute(delete(leases).where(leases.c.id.in_(held)))


def forget(connection: Connection, agent_id: str) -> None:
    """Deletes everything of an agent's calls. `Database.purge` then makes it unreadable."""
    if not agent_id:
        return  # effects of nobody's are no agent's to forget
    connection.execute(delete(effects).where(effects.c.agent_id == agent_id))
    owned = select(calls.c.id).where(calls.c.agent_id == agent_id)
    connection.execute(delete(messages).where(messages.c.call_id.in_(owned)))
    for table in (calls, leases, emergencies):
        connection.execute(delete(table).where(table.c.agent_id == agent_id))


def remember_presence(connection: Connection, agent_id: str, presence_id: str) -> None:
    """Keeps the presence to go back to, in place of what was remembered as last synced."""
    connection.execute(_PRESENCE, {"own": agent_id, "prior": presence_id})


def forget_presence(connection: Connection, agent_id: str) -> None:
    """Nothing of ours is left on the agent's presence."""
    connection.execute(_PRESENCE, {"own": agent_id, "prior": None})


def find(connection: Connection, call_id: str) -> tuple[Call, Lease | None] | None:
    """A call with the number that recipients are told now; None once it is forgotten."""
    row = connection.execute(select(calls).where(calls.c.id == call_id)).one_or_none()
    if row is None:
        return None
    held = select(leases).where(leases.c.agent_id == row.agent_id).order_by(leases.c.taken_at.desc()).limit(1)
    lease = connection.execute(held).one_or_none()
    return _call(row), _lease(lease) if lease else None


def holder(connection: Connection, number: str) -> str | None:
    """The id of the agent who holds a number now."""
    return connection.execute(select(leases.c.agent_id).where(leases.c.number == number)).scalar()


def waiting(connection: Connection, at: datetime) -> list[str]:
    """Agents with an open window and no number, the longest waiting first."""
    rows = connection.execute(
        select(calls.c.agent_id, func.min(calls.c.dialled_at).label("since"))
        .join(emergencies, emergencies.c.agent_id == calls.c.agent_id)
        .outerjoin(leases, leases.c.agent_id == calls.c.agent_id)
        .where(leases.c.id.is_(None), emergencies.c.window_ends_at > at, calls.c.dialled_at.is_not(None))
        .where(calls.c.platform_number.is_(None))
        .group_by(calls.c.agent_id)
        .order_by("since")
    )
    return [row.agent_id for row in rows]


def remember_delivery(connection: Connection, key: str, at: datetime) -> datetime | None:
    """Notes that a delivery is served; None, or when it was served before. Only a hash of `key` is kept."""
    hashed = sha256(key.encode()).hexdigest()
    if insert_new(connection, seen, key=hashed, seen_at=at):
        return None
    served: datetime = connection.execute(select(seen.c.seen_at).where(seen.c.key == hashed)).scalar_one()
    return served


def drop_deliveries(connection: Connection, before: datetime) -> int:
    """Forgets deliveries served before a time; the number forgotten."""
    return connection.execute(delete(seen).where(seen.c.seen_at < before)).rowcount


def overdue(connection: Connection, before: datetime) -> list[tuple[str, str]]:
    """Agents whose window ended before a time and still are not forgotten, each with a call of theirs."""
    timer = select(effects.c.id).where(
        effects.c.agent_id == emergencies.c.agent_id, effects.c.kind == "close_window", effects.c.status == "pending"
    )
    rows = connection.execute(
        select(emergencies.c.agent_id, func.min(calls.c.id))
        .join(calls, calls.c.agent_id == emergencies.c.agent_id)
        .where(emergencies.c.window_ends_at < before, ~timer.exists())
        .group_by(emergencies.c.agent_id)
    )
    return [(agent_id, call_id) for agent_id, call_id in rows]


def record_message(connection: Connection, operation_id: str, call_id: str, recipients: int, at: datetime) -> None:
    """Keeps the receipt of an accepted message, once, as long as its call is remembered."""
    known = {"message": operation_id, "call": call_id, "count": recipients, "at": at}
    connection.execute(_new_message(connection.dialect.name), known)


@cache
def _new_message(dialect_name: str) -> Any:
    """An insert for either dialect of a receipt whose call is there, if the receipt is not."""
    values = {
        "operation_id": bindparam("message", type_=messages.c.operation_id.type),
        "call_id": bindparam("call", type_=messages.c.call_id.type),
        "recipients": bindparam("count", type_=messages.c.recipients.type),
        "accepted_at": bindparam("at", type_=messages.c.accepted_at.type),
        "delivered": literal(0),
        "undelivered": literal(0),
    }
    remembered = select(calls.c.id).where(calls.c.id == bindparam("call")).exists()
    dialect = sqlite if dialect_name == "sqlite" else postgresql
    wanted = select(*values.values()).where(remembered)
    return dialect.insert(messages).from_select(list(values), wanted).on_conflict_do_nothing()


def record_delivery(connection: Connection, operation_id: str, *, delivered: bool) -> bool:
    """Counts a delivery report. False: the message is not (or no longer) known."""
    column = messages.c.delivered if delivered else messages.c.undelivered
    counted = update(messages).where(messages.c.operation_id == operation_id).values({column: column + 1})
    return connection.execute(counted).rowcount == 1


def take_number(connection: Connection, countries: tuple[str, ...], at: datetime) -> str | None:
    """The free number that was leased longest ago, in the first of `countries` (ISO codes) that has one.

    It goes to the end of the row at once, so that whatever the number of leases, the next one stands at its beginning.
    Numbers that another machine is just taking are passed over.
    """
    for country in countries:
        if found := connection.execute(_TAKE, {"wanted_country": country, "taken_at": at}).scalar():
            return str(found)
    return None


def set_pool(connection: Connection, numbers: dict[str, str]) -> tuple[int, int]:
    """Makes `numbers` (number to country) the pool; how many came and went.

    A number that is leased out stays leased until its window closes, though it is not given out again.
    """
    known = {row.number for row in connection.execute(select(pool_numbers.c.number))}
    came, gone = numbers.keys() - known, known - numbers.keys()
    for number in came:
        insert_new(connection, pool_numbers, number=number, country=numbers[number], last_leased_at=NEVER)
    if gone:
        connection.execute(delete(pool_numbers).where(or_(*(pool_numbers.c.number == number for number in gone))))
    return len(came), len(gone)


def pool_size(connection: Connection) -> dict[str, tuple[int, int]]:
    """By country: how many numbers the pool has, and how many of them are free."""
    rows = connection.execute(
        select(pool_numbers.c.country, func.count(), func.count(leases.c.id))
        .outerjoin(leases, leases.c.number == pool_numbers.c.number)
        .group_by(pool_numbers.c.country)
    )
    return {country: (total, total - leased) for country, total, leased in rows}


def _call(row: Any) -> Call:
    values = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's documented way to a row as a mapping)
    values.pop("position")
    return Call(**values)


def _call_values(call: Call) -> dict[str, Any]:
    return {field: getattr(call, field) for field in Call.__dataclass_fields__}


def _lease(row: Any) -> Lease:
    return Lease(row.id, row.number, row.source, row.taken_at, row.expires_at)


def peek(connection: Connection, agent_id: str) -> AgentState | None:
    """The agent's state as it stands, without locking it; None for an agent without calls."""
    row = connection.execute(_PEEKED, {"own": agent_id}).one_or_none()
    return _state(connection, row) if row else None
