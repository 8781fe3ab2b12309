"""One suite over both engines: the state of calls, the leases, the outbox."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, inspect, select
from sqlalchemy.exc import IntegrityError

from connector.calls.effects import KINDS, CloseWindow, Effect, Notify, RestorePresence, SetDoNotDisturb, effect_id
from connector.calls.model import AgentState, Call, Lease
from connector.clock import MovableClock
from connector.engine import outbox
from connector.store import calls, schema
from connector.store.database import Database
from tests.conftest import START

HOUR = timedelta(hours=1)
ALL_KINDS = tuple(KINDS)
US, GB = "+12025550101", "+441632960101"


@pytest.fixture
def store(store_url: str) -> Iterator[Database]:
    database = Database(store_url, schema.metadata, "calls")
    database.migrate()
    yield database
    database.close()


def state(agent_id: str, number: str | None = US, *, call_id: str = "call-1") -> AgentState:
    call = Call(call_id, agent_id, dialled="911", location="Room 1", dialled_at=START)
    leases = (Lease(f"lease-{agent_id}", number, "pool", START, START + HOUR),) if number else ()
    return AgentState(agent_id, (call,), leases, START + HOUR)


def keep(store: Database, wanted: AgentState) -> None:
    with store.write() as connection:
        before = calls.load(connection, wanted.agent_id)
        calls.save(connection, before, wanted)


def ask(store: Database, *effects: Effect, agent_id: str = "a", owner: str = "me") -> list[outbox.AnyClaim]:
    with store.write() as connection:
        return list(outbox.ask(connection, agent_id, effects, START, owner).claims)


def due(store: Database, after: timedelta = timedelta(), owner: str = "me") -> list[outbox.AnyClaim]:
    with store.write() as connection:
        return outbox.claim_due(connection, START + after, owner, 100, kinds=ALL_KINDS)


def test_migrations_make_the_tables_of_the_schema(store: Database) -> None:
    made = inspect(store.engine)
    for table in schema.metadata.tables.values():
        columns = {column["name"] for column in made.get_columns(table.name)}
        assert columns == {column.name for column in table.columns}


def test_migrating_again_changes_nothing(store: Database) -> None:
    keep(store, state("a"))
    store.migrate()
    with store.read() as connection:
        assert calls.peek(connection, "a") == state("a")


def test_state_comes_back_as_it_was_saved(store: Database) -> None:
    wanted = state("a")
    keep(store, wanted)
    with store.read() as connection:
        assert calls.peek(connection, "a") == wanted


def test_the_presence_remembered_last_is_kept_until_it_is_forgotten(store: Database) -> None:
    keep(store, state("a"))
    with store.write() as connection:
        calls.remember_presence(connection, "a", "available")
        calls.remember_presence(connection, "a", "away")
        assert calls.peek(connection, "a") == replace(state("a"), prior_presence_id="away")
        calls.forget_presence(connection, "a")
        assert calls.peek(connection, "a") == state("a")


def test_changes_of_a_state_are_saved(store: Database) -> None:
    keep(store, state("a"))
    ended = replace(state("a").calls[0], ended_at=START + HOUR, end_cause="hung_up")
    second = Call("call-2", "a", dialled_at=START)
    later = replace(state("a").leases[0], expires_at=START + 2 * HOUR)
    wanted = AgentState("a", (ended, second), (later,), START + 2 * HOUR)
    keep(store, wanted)
    with store.read() as connection:
        assert calls.peek(connection, "a") == wanted


def test_the_database_refuses_a_second_lease_on_a_number(store: Database) -> None:
    keep(store, state("a"))
    with pytest.raises(IntegrityError):
        keep(store, state("b", call_id="call-2"))


def test_the_refusal_holds_against_any_client(store: Database) -> None:
    keep(store, state("a"))
    keep(store, state("b", None, call_id="call-2"))
    row = {"id": "x", "agent_id": "b", "number": US, "source": "pool", "taken_at": START, "expires_at": START}
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(insert(schema.leases).values(row))


def test_a_failed_transaction_leaves_nothing(store: Database) -> None:
    def fail() -> None:
        with store.write() as connection:
            calls.save(connection, calls.load(connection, "a"), state("a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.read() as connection:
        assert calls.peek(connection, "a") is None


def test_forgetting_deletes_everything_of_the_agent_only(store: Database) -> None:
    keep(store, state("a"))
    keep(store, state("b", GB, call_id="call-2"))
    ask(store, SetDoNotDisturb("call-1"), agent_id="a")
    ask(store, SetDoNotDisturb("call-2"), agent_id="b")
    with store.write() as connection:
        calls.record_message(connection, "op-1", "call-1", 2, START)
        calls.forget(connection, "a")
    store.purge(*calls.CALL_TABLES)
    with store.read() as connection:
        assert calls.peek(connection, "a") is None
        assert calls.find(connection, "call-1") is None
        assert connection.execute(select(schema.messages)).all() == []
        assert calls.peek(connection, "b") is not None
        assert connection.execute(select(schema.effects.c.agent_id)).scalars().all() == ["b"]


def test_the_number_that_was_leased_longest_ago_is_taken_first(store: Database) -> None:
    with store.write() as connection:
        calls.set_pool(connection, {US: "US", "+12025550102": "US", GB: "GB"})
        assert calls.take_number(connection, ("US",), START) == US
    keep(store, state("a"))
    with store.write() as connection:
        assert calls.pool_size(connection) == {"US": (2, 1), "GB": (1, 1)}
        assert calls.take_number(connection, ("US",), START + HOUR) == "+12025550102"
        assert calls.take_number(connection, ("US",), START + HOUR) == "+12025550102", "the other one is leased"
        calls.forget(connection, "a")
        assert calls.take_number(connection, ("US",), START + 2 * HOUR) == US, "it has rested longer"
        assert calls.take_number(connection, ("DK", "GB"), START) == GB
        assert calls.take_number(connection, ("DK",), START) is None


def test_a_number_that_left_the_pool_stays_leased(store: Database) -> None:
    with store.write() as connection:
        calls.set_pool(connection, {US: "US"})
    keep(store, state("a"))
    with store.write() as connection:
        assert calls.set_pool(connection, {GB: "GB"}) == (1, 1)
        assert calls.holder(connection, US) == "a"
        assert calls.take_number(connection, ("US",), START) is None


def test_who_waits_longest_is_first(store: Database) -> None:
    first, second = state("a", None, call_id="call-1"), state("b", None, call_id="call-2")
    keep(store, replace(second, calls=(replace(second.calls[0], dialled_at=START + timedelta(seconds=1)),)))
    keep(store, first)
    keep(store, state("c", US, call_id="call-3"))
    with store.read() as connection:
        assert calls.waiting(connection, START) == ["a", "b"]
        assert calls.waiting(connection, START + 2 * HOUR) == []


def test_a_delivery_is_fresh_once(store: Database) -> None:
    with store.write() as connection:
        assert calls.remember_delivery(connection, "x", START) is None
        assert calls.remember_delivery(connection, "x", START + HOUR) == START
        assert calls.drop_deliveries(connection, START + HOUR) == 1
        assert calls.remember_delivery(connection, "x", START) is None


def test_delivery_reports_are_counted_on_their_message(store: Database) -> None:
    keep(store, state("a"))
    with store.write() as connection:
        calls.record_message(connection, "op-1", "call-1", 2, START)
        calls.record_message(connection, "op-1", "call-1", 2, START)
        calls.record_message(connection, "op-2", "forgotten", 2, START)
        assert calls.record_delivery(connection, "op-1", delivered=True)
        assert calls.record_delivery(connection, "op-1", delivered=False)
        assert not calls.record_delivery(connection, "op-2", delivered=True)
        (receipt,) = connection.execute(select(schema.messages)).all()
    assert (receipt.recipients, receipt.delivered, receipt.undelivered) == (2, 1, 1)


def test_an_effect_asked_for_twice_is_stored_once(store: Database) -> None:
    notice = Notify("call-1", "dialled", 0, ("a@example.com",), START + HOUR)
    assert len(ask(store, notice)) == 1
    assert ask(store, notice) == []
    assert due(store) == [], "the first asking claimed it"


def test_a_claimed_effect_comes_with_what_it_is(store: Database) -> None:
    notice = Notify("call-1", "number", 2, ("a@example.com", "b@example.com"), START + HOUR)
    ask(store, notice)
    (claim,) = due(store, outbox.CLAIM)
    assert claim.effect == notice
    assert claim.id == effect_id(notice)
    assert claim.fence == 2


def test_a_timer_is_claimed_when_it_is_due(store: Database) -> None:
    timer = CloseWindow("call-1", START + HOUR)
    assert ask(store, timer) == []
    assert due(store) == []
    assert [claim.effect for claim in due(store, HOUR)] == [timer]


def test_an_expired_claim_is_another_workers(store: Database) -> None:
    (old,) = ask(store, SetDoNotDisturb("call-1"), owner="first")
    (new,) = due(store, outbox.CLAIM, owner="second")
    with store.write() as connection:
        assert (old.repeated, new.repeated) == (False, True), "the first may have performed it before it died"
        assert not outbox.finish(connection, old), "the first worker stalled: its word counts no more"
        assert outbox.finish(connection, new)
    assert due(store, HOUR) == []


def test_a_renewed_claim_holds(store: Database) -> None:
    (claim,) = ask(store, SetDoNotDisturb("call-1"))
    with store.write() as connection:
        outbox.renew(connection, "me", [claim.id], START + timedelta(seconds=3))
    assert due(store, outbox.CLAIM) == []


def test_claims_of_a_predecessor_are_freed(store: Database) -> None:
    ask(store, SetDoNotDisturb("call-1"))
    with store.write() as connection:
        assert outbox.release_all(connection) == 1
    assert len(due(store)) == 1


def test_a_lane_is_performed_in_order(store: Database) -> None:
    first = ask(store, SetDoNotDisturb("call-1"))
    assert ask(store, RestorePresence("call-1")) == []
    assert due(store) == [], "the first of the lane is under way"
    with store.write() as connection:
        outbox.retry(connection, first[0], START + HOUR, "busy")
    assert due(store) == [], "and it comes first even while it waits"
    (again,) = due(store, HOUR)
    assert again.attempts == 1
    with store.write() as connection:
        outbox.finish(connection, again)
    assert [claim.effect.kind for claim in due(store, HOUR)] == ["restore_presence"]


def test_lanes_of_different_agents_do_not_wait_for_each_other(store: Database) -> None:
    assert len(ask(store, SetDoNotDisturb("call-1"), agent_id="a")) == 1
    assert len(ask(store, SetDoNotDisturb("call-2"), agent_id="b")) == 1


def test_a_settled_effect_keeps_no_payload(store: Database) -> None:
    done = ask(store, Notify("call-1", "dialled", 0, ("a@example.com",), START + HOUR))
    failed = ask(store, Notify("call-1", "dialled", 1, ("b@example.com",), START + HOUR))
    with store.write() as connection:
        assert outbox.finish(connection, done[0])
        assert outbox.fail(connection, failed[0], "refused")
        rows = connection.execute(schema.effects.select()).all()
    assert [(row.status, row.payload, row.owner) for row in rows] == [("done", {}, None), ("failed", {}, None)]


def test_what_this_process_still_performs_is_not_claimed_again(store: Database) -> None:
    (claim,) = ask(store, SetDoNotDisturb("call-1"))
    with store.write() as connection:
        later = START + outbox.CLAIM
        assert outbox.claim_due(connection, later, "me", 9, kinds=ALL_KINDS, busy=[claim.id]) == []


def test_only_the_kinds_asked_for_are_claimed(store: Database) -> None:
    ask(store, CloseWindow("call-1", START + HOUR))
    with store.write() as connection:
        assert outbox.claim_due(connection, START + HOUR, "me", 9, kinds=["notify"]) == []


def test_an_effect_that_cannot_be_read_does_not_stop_the_others(store: Database) -> None:
    ask(store, CloseWindow("call-1", START), CloseWindow("call-2", START + HOUR))
    with store.write() as connection:
        broken = schema.effects.update().where(schema.effects.c.call_id == "call-1")
        connection.execute(broken.values(payload={"kind": "of another version"}, owner=None, claimed_until=None))
    assert [claim.effect.call_id for claim in due(store, HOUR)] == ["call-2"]


def test_claims_of_what_was_not_begun_are_given_up(store: Database) -> None:
    (claim,) = ask(store, SetDoNotDisturb("call-1"))
    with store.write() as connection:
        outbox.release(connection, "me", [claim.id])
    assert len(due(store, owner="other")) == 1


def test_overdue_windows_without_a_timer_are_found(store: Database) -> None:
    keep(store, state("a"))
    with store.read() as connection:
        assert calls.overdue(connection, START + 2 * HOUR) == [("a", "call-1")]
        assert calls.overdue(connection, START) == []
    ask(store, CloseWindow("call-1", START + HOUR))
    with store.read() as connection:
        assert calls.overdue(connection, START + 2 * HOUR) == []


def test_nobodys_effects_are_not_forgotten_with_an_agent(store: Database) -> None:
    ask(store, CloseWindow("call-1", START + HOUR), agent_id="")
    with store.write() as connection:
        calls.forget(connection, "")
    assert len(due(store, HOUR)) == 1


def test_purging_makes_forgotten_rows_unreadable_and_waits_for_nobody(store: Database) -> None:
    keep(store, state("a"))
    with store.read() as reader:
        assert calls.peek(reader, "a") is not None
        with store.write() as connection:
            calls.forget(connection, "a")
        assert not store.purge(*calls.CALL_TABLES), "somebody still reads what was"
    assert store.purge(*calls.CALL_TABLES)


def test_unfinished_is_what_a_call_waits_for(store: Database) -> None:
    ask(store, CloseWindow("call-1", START + HOUR))
    with store.read() as connection:
        assert not outbox.unfinished(connection, "a")
    (claim,) = ask(store, SetDoNotDisturb("call-1"))
    with store.read() as connection:
        assert outbox.unfinished(connection, "a")
    with store.write() as connection:
        outbox.fail(connection, claim, "refused")
        assert not outbox.unfinished(connection, "a")


def test_workers_at_the_same_time_claim_different_effects(store: Database) -> None:
    ask(store, *(CloseWindow(f"call-{number}", START + HOUR) for number in range(40)))
    claimed: list[list[outbox.AnyClaim]] = []

    def work(owner: str) -> None:
        with store.write() as connection:
            claimed.append(outbox.claim_due(connection, START + HOUR, owner, 25, kinds=ALL_KINDS))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [claim.id for claims in claimed for claim in claims]
    assert len(ids) == len(set(ids)), "no effect is claimed twice"
    rest = due(store, HOUR)
    assert len(ids) + len(rest) == 40


def test_events_of_one_agent_wait_for_each_other(store: Database) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait(5)
        with store.write() as connection:
            calls.load(connection, "a")
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.write() as connection:
        calls.load(connection, "a")
        inside.set()
        thread.join(0.2)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_moved_clock_is_kept_in_utc(store: Database, clock: MovableClock) -> None:
    clock.advance(0.25)
    with store.write() as connection:
        calls.remember_delivery(connection, "x", clock.now())
        (row,) = connection.execute(schema.seen.select()).all()
    assert row.seen_at == START + timedelta(seconds=0.25)
