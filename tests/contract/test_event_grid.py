"""Event Grid as a sender, against a real HTTP endpoint: handshakes, retries by the clock, disorder, envelopes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.messaging import CloudEvent

from connector.clock import MovableClock
from connector.sandbox.event_grid import EventGrid
from connector.sandbox.events import CLOUD, GRID, INCOMING_CALL, Disorder, Event
from connector.sandbox.handshake import HandshakeError
from tests.contract.receiver import Arrived, Receiver, Reply, receiving

TOPIC = "/subscriptions/sandbox"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def grid(clock: MovableClock) -> Iterator[EventGrid]:
    grid = EventGrid(clock, "no-ca.pem", topic=TOPIC, validation_url="https://localhost/validate")
    grid.disorder = Disorder(jitter=0.0)
    yield grid
    grid.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def an_event(grid: EventGrid, clock: MovableClock, number: int = 0, kind: str = "Example.Happened") -> Event:
    event = Event(kind, f"/subject/{number}", {"to": {"phoneNumber": {"value": "+14255550100"}}}, clock.now(), TOPIC)
    grid.publish(event)
    return event


def ids(receiver: Receiver) -> list[str]:
    return [one["id"] for arrived in receiver.notifications for one in arrived.body]


class TestHandshake:
    def test_the_validation_event_must_be_answered_with_its_code(self, grid: EventGrid, receiver: Receiver) -> None:
        subscription = grid.subscribe(receiver.url)
        assert subscription.validated
        (asked,) = receiver.arrived
        assert asked.headers["aeg-event-type"] == "SubscriptionValidation"
        (event,) = asked.body
        assert (event["eventType"], event["subject"]) == ("Microsoft.EventGrid.SubscriptionValidationEvent", "")
        assert event["data"]["validationUrl"].startswith("https://localhost/validate?code=")

    @pytest.mark.parametrize("status", [202, 204, 301, 401, 500])
    def test_only_200_is_accepted(self, grid: EventGrid, receiver: Receiver, status: int) -> None:
        def answer(request: Arrived) -> Reply:
            return Reply(status, {"validationResponse": request.body[0]["data"]["validationCode"]})

        receiver.usual = answer if status != 204 else lambda _: Reply(204)
        with pytest.raises(HandshakeError, match=str(status)):
            grid.subscribe(receiver.url)
        assert grid.subscriptions == []

    def test_nobody_there(self, grid: EventGrid) -> None:
        with pytest.raises(HandshakeError, match="did not answer"):
            grid.subscribe("http://127.0.0.1:9/events")

    @pytest.mark.parametrize("body", [{"validationResponse": "other"}, None, ["list"]])
    def test_a_wrong_code_leaves_the_validation_url(
        self, grid: EventGrid, clock: MovableClock, receiver: Receiver, body: Any
    ) -> None:
        receiver.usual = lambda _: Reply(200, body)
        subscription = grid.subscribe(receiver.url)
        an_event(grid, clock)
        assert grid.wait_idle()
        assert receiver.notifications == []
        assert not grid.confirm("guessed")
        clock.advance(300)
        assert grid.confirm(subscription.code)
        event = an_event(grid, clock)
        assert grid.wait_idle()
        assert ids(receiver) == [event.id]

    def test_the_validation_url_is_open_for_five_minutes(
        self, grid: EventGrid, clock: MovableClock, receiver: Receiver
    ) -> None:
        receiver.usual = lambda _: Reply(200)
        subscription = grid.subscribe(receiver.url)
        clock.advance(301)
        assert not grid.confirm(subscription.code)

    @pytest.mark.parametrize(("allowed", "good"), [("eventgrid.azure.net", True), ("*", True), ("other", False)])
    def test_cloud_events_ask_by_options(self, grid: EventGrid, receiver: Receiver, allowed: str, good: bool) -> None:
        receiver.usual = lambda _: Reply(200, headers={"WebHook-Allowed-Origin": allowed})
        if good:
            assert grid.subscribe(receiver.url, schema=CLOUD).validated
        else:
            with pytest.raises(HandshakeError):
                grid.subscribe(receiver.url, schema=CLOUD)
        assert receiver.arrived[0].method == "OPTIONS"
        assert receiver.arrived[0].headers["webhook-request-origin"] == "eventgrid.azure.net"


class TestEnvelopes:
    def test_event_grid_posts_an_array(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.subscribe(receiver.url, schema=GRID, headers={"x-secret": "s"})
        event = an_event(grid, clock)
        arrived = receiver.wait_for(2)[1]
        assert arrived.headers["aeg-event-type"] == "Notification"
        assert arrived.headers["x-secret"] == "s"
        (body,) = arrived.body
        assert (body["id"], body["topic"], body["eventType"]) == (event.id, TOPIC, event.type)
        assert body["eventTime"] == "2026-03-01T12:00:00.0000000Z"

    def test_cloud_events_come_singly(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.subscribe(receiver.url, schema=CLOUD)
        event = an_event(grid, clock)
        arrived = receiver.wait_for(2)[1]
        assert arrived.headers["content-type"].startswith("application/cloudevents+json")
        read: CloudEvent[Any] = CloudEvent.from_dict(arrived.body)
        assert (read.id, read.source, read.type) == (event.id, TOPIC, event.type)

    def test_cloud_events_come_as_a_batch(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.disorder = Disorder(batch=2, gather_seconds=1)
        grid.subscribe(receiver.url, schema=CLOUD)
        sent = [an_event(grid, clock, number).id for number in range(2)]
        clock.advance(1)
        arrived = receiver.wait_for(2)[1]
        assert arrived.headers["content-type"].startswith("application/cloudevents-batch+json")
        assert ids(receiver) == sent


class TestFilters:
    def test_by_type(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.subscribe(receiver.url, event_types=[INCOMING_CALL])
        an_event(grid, clock)
        wanted = an_event(grid, clock, kind=INCOMING_CALL)
        assert grid.wait_idle()
        assert ids(receiver) == [wanted.id]

    @pytest.mark.parametrize(("starts", "count"), [(["+1425"], 1), (["+44", "+1"], 1), (["+44"], 0)])
    def test_by_a_value_whose_path_ignores_case(
        self, grid: EventGrid, clock: MovableClock, receiver: Receiver, starts: list[str], count: int
    ) -> None:
        grid.subscribe(receiver.url, begins_with={"data.to.PhoneNumber.Value": starts})
        an_event(grid, clock)
        assert grid.wait_idle()
        assert len(ids(receiver)) == count


class TestRetries:
    def test_the_schedule(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.subscribe(receiver.url)
        receiver.usual = lambda _: Reply(503)
        start = clock.now()
        an_event(grid, clock)
        for seconds in (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600):
            assert grid.wait_idle()
            tried = len(grid.attempts)
            clock.advance(seconds - 1)
            assert grid.wait_idle()
            assert len(grid.attempts) == tried
            clock.advance(1)
        assert grid.wait_idle()
        assert [(one.at - start).total_seconds() for one in grid.attempts] == [
            0, 10, 40, 100, 400, 1000, 2800, 6400, 17200, 38800,
        ]  # fmt: skip
        # The next try would come later than the day that an event lives.
        clock.advance(43200)
        assert grid.wait_idle()
        clock.advance(43200)
        assert grid.wait_idle()
        assert [letter.reason for letter in grid.dead_letters] == ["TimeToLiveExceeded"]

    def test_an_event_arrives_once_the_endpoint_is_back(
        self, grid: EventGrid, clock: MovableClock, receiver: Receiver
    ) -> None:
        grid.subscribe(receiver.url)
        receiver.replies = [Reply(500), Reply(429), Reply(302), Reply(205)]
        event = an_event(grid, clock)
        for seconds in (10, 30, 60, 300):
            assert grid.wait_idle()
            clock.advance(seconds)
        assert grid.wait_idle()
        assert [one.status for one in grid.attempts] == [500, 429, 302, 205, 200]
        assert ids(receiver) == [event.id] * 5
        assert [one.headers["aeg-delivery-count"] for one in receiver.notifications] == ["0", "1", "2", "3", "4"]
        assert grid.waiting == 0

    @pytest.mark.parametrize("status", [400, 401, 403, 413])
    def test_some_answers_drop_the_event(
        self, grid: EventGrid, clock: MovableClock, receiver: Receiver, status: int
    ) -> None:
        grid.subscribe(receiver.url)
        receiver.replies = [Reply(status)]
        event = an_event(grid, clock)
        assert grid.wait_idle()
        clock.advance(86400)
        assert grid.wait_idle()
        (letter,) = grid.dead_letters
        assert (letter.event, letter.last_status, letter.attempts) == (event, status, 1)
        assert len(receiver.notifications) == 1

    def test_an_incoming_call_is_tried_twice(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        subscription = grid.subscribe(receiver.url, event_types=[INCOMING_CALL])
        assert (subscription.max_attempts, subscription.time_to_live.total_seconds()) == (2, 60)
        receiver.usual = lambda _: Reply(503)
        an_event(grid, clock, kind=INCOMING_CALL)
        assert grid.wait_idle()
        clock.advance(10)
        assert grid.wait_idle()
        assert [letter.reason for letter in grid.dead_letters] == ["MaxDeliveryAttemptsExceeded"]

    def test_jitter_makes_a_wait_longer(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.disorder = Disorder(jitter=0.5)
        grid.subscribe(receiver.url)
        receiver.replies = [Reply(503)]
        an_event(grid, clock)
        assert grid.wait_idle()
        clock.advance(10)
        assert grid.wait_idle()
        assert len(grid.attempts) == 1
        clock.advance(5)
        assert grid.wait_idle()
        assert len(grid.attempts) == 2

    def test_no_answer_is_a_failure(self, grid: EventGrid, clock: MovableClock) -> None:
        with receiving() as receiver:
            grid.subscribe(receiver.url)
        an_event(grid, clock)
        assert grid.wait_idle()
        assert [one.status for one in grid.attempts] == [None]
        assert grid.waiting == 1

    def test_an_unhealthy_endpoint_waits_for_new_events_too(
        self, grid: EventGrid, clock: MovableClock, receiver: Receiver
    ) -> None:
        grid.disorder = Disorder(jitter=0.0, unhealthy_seconds=3600)
        grid.subscribe(receiver.url)
        receiver.replies = [Reply(503)]
        an_event(grid, clock)
        assert grid.wait_idle()
        late = an_event(grid, clock)
        assert grid.wait_idle()
        assert late.id not in ids(receiver)
        clock.advance(3600)
        assert grid.wait_idle()
        assert late.id in ids(receiver)


class TestDisorder:
    def test_duplicates(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.disorder = Disorder(duplicates=2)
        grid.subscribe(receiver.url)
        event = an_event(grid, clock)
        assert grid.wait_idle()
        assert ids(receiver) == [event.id] * 3

    def test_the_newest_first(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.disorder = Disorder(reverse=True, gather_seconds=1)
        grid.subscribe(receiver.url)
        sent = [an_event(grid, clock, number).id for number in range(4)]
        clock.advance(1)
        assert grid.wait_idle()
        assert ids(receiver) == sent[::-1]

    def test_several_in_one_request(self, grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
        grid.disorder = Disorder(batch=3, gather_seconds=1)
        grid.subscribe(receiver.url)
        sent = [an_event(grid, clock, number).id for number in range(5)]
        clock.advance(1)
        assert grid.wait_idle()
        assert sorted(len(one.body) for one in receiver.notifications) == [2, 3]
        assert sorted(ids(receiver)) == sorted(sent)


def test_the_end_does_not_wait_for_an_endpoint_that_hangs(
    grid: EventGrid, clock: MovableClock, receiver: Receiver
) -> None:
    grid.subscribe(receiver.url)
    released = threading.Event()

    def hang(_: Arrived) -> Reply:
        released.wait(10)
        return Reply()

    receiver.usual = hang
    an_event(grid, clock)
    receiver.wait_for(2)
    stopping = threading.Thread(target=grid.stop)
    stopping.start()
    stopping.join(8)
    assert not stopping.is_alive(), "the end waited for the endpoint"
    released.set()


def test_an_event_for_later_waits_for_the_clock(grid: EventGrid, clock: MovableClock, receiver: Receiver) -> None:
    grid.subscribe(receiver.url)
    grid.publish(Event("Example.Later", "", {}, clock.now(), TOPIC), after=30)
    clock.advance(29)
    assert grid.wait_idle()
    assert (grid.waiting, receiver.notifications) == (1, [])
    clock.advance(1)
    assert grid.wait_idle()
    assert len(receiver.notifications) == 1
