"""Event Grid as a sender: subscriptions with their handshake, delivery, retries and dead letters.

Rules are those of Microsoft's "Webhook event delivery" and "Message delivery and retry". Waiting goes by the sandbox's
clock: a background thread looks every few hundredths of a second at what is due.
"""

from __future__ import annotations

import heapq
import json
import random
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import requests

from connector.clock import Clock
from connector.sandbox.courier import Courier
from connector.sandbox.events import (
    CLOUD,
    GRID,
    INCOMING_CALL,
    Attempt,
    DeadLetter,
    Disorder,
    Event,
    Schema,
    Subscription,
)
from connector.sandbox.handshake import shake_hands

RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
NEVER_RETRIED = frozenset({400, 401, 403, 413})
MANUAL_VALIDATION = timedelta(minutes=5)
LOOK_SECONDS = 0.03
KEPT_ATTEMPTS = 5000


@dataclass
class _Delivery:
    subscription: Subscription
    event: Event
    published: datetime
    attempts: int = 0
    last_status: int | None = None
    repeats_left: int = 0


class EventGrid:
    """Publishes events to the subscribed endpoints, at least once and in no promised order."""

    def __init__(self, clock: Clock, ca_file: str, *, topic: str, validation_url: str = "") -> None:
        self.topic = topic
        self.validation_url = validation_url
        self.disorder = Disorder()
        self.subscriptions: list[Subscription] = []
        self.attempts: deque[Attempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.dead_letters: list[DeadLetter] = []
        self._clock = clock
        self._courier = Courier("event-grid", ca_file)
        self._random = random.Random(911)  # noqa: S311 - jitter, nothing secret
        self._due: list[tuple[datetime, int, _Delivery]] = []
        self._order = count()
        self._under_way = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="event-grid", daemon=True)
        self._thread.start()

    def subscribe(
        self,
        url: str,
        *,
        event_types: Iterable[str] | None = None,
        begins_with: Mapping[str, Iterable[str]] | None = None,
        schema: Schema = GRID,
        max_attempts: int | None = None,
        ttl_minutes: float | None = None,
        headers: Mapping[str, str] | None = None,
        name: str = "",
    ) -> Subscription:
        """Makes a subscription, after the handshake; raises HandshakeError where that fails.

        An endpoint that answers 200 without the code may still be confirmed by a GET of the validation URL within five
        minutes. Where nothing is said, IncomingCall alone gets the two attempts and one minute recommended for it, and
        everything else the service's 30 attempts and 1,440 minutes.
        """
        if schema not in (GRID, CLOUD):
            raise ValueError(f"schema is {GRID} or {CLOUD}")
        types = None if event_types is None else frozenset(event_types)
        urgent = types == frozenset({INCOMING_CALL})
        subscription = Subscription(
            url=url,
            topic=self.topic,
            event_types=types,
            begins_with={path: tuple(starts) for path, starts in (begins_with or {}).items()},
            schema=schema,
            max_attempts=max_attempts or (2 if urgent else 30),
            time_to_live=timedelta(minutes=ttl_minutes or (1 if urgent else 1440)),
            headers=dict(headers or {}),
            name=name or f"subscription-{uuid.uuid4().hex[:8]}",
            created=self._clock.now(),
        )
        with self._courier.session() as session:
            shake_hands(
                session,
                subscription,
                validation_url=self.validation_url,
                seconds=self.disorder.answer_seconds,
            )
        self.subscriptions.append(subscription)
        return subscription

    def confirm(self, code: str) -> bool:
        """The validation URL was opened; False for a code that is unknown or older than five minutes."""
        for subscription in self.subscriptions:
            if subscription.code == code and self._clock.now() - subscription.created <= MANUAL_VALIDATION:
                subscription.validated = True
                return True
        return False

    def publish(self, event: Event, after: float = 0.0) -> None:
        """Delivers an event to everyone who wants it, `after` seconds from now by the clock."""
        now = self._clock.now()
        due = now + timedelta(seconds=after + self.disorder.gather_seconds)
        with self._changed:
            for subscription in self.subscriptions:
                if subscription.wants(event):
                    waits = max(due, subscription.unhealthy_until or due)
                    self._push(waits, _Delivery(subscription, event, now + timedelta(seconds=after)))
            self._changed.notify_all()

    def wait_idle(self, seconds: float = 5.0) -> bool:
        """Waits until nothing is due or under way; what waits for the clock does not count."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way and not self._ripe(), timeout=seconds)

    @property
    def waiting(self) -> int:
        """How many deliveries wait for their time."""
        with self._changed:
            return len(self._due)

    def stop(self) -> None:
        """Ends the threads; what was not delivered is lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=2)
        self._courier.stop()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                groups = self._take_due()
                if not groups:
                    # The clock can be moved at any time, so the wait is short and by the machine's own time.
                    self._changed.wait(LOOK_SECONDS)
            for group in groups:
                self._courier.submit(partial(self._send, group))

    def _ripe(self) -> bool:
        return bool(self._due) and self._due[0][0] <= self._clock.now()

    def _push(self, due: datetime, delivery: _Delivery) -> None:
        heapq.heappush(self._due, (due, next(self._order), delivery))

    def _take_due(self) -> list[list[list[_Delivery]]]:
        """Groups of requests: groups go out side by side, the requests of one group one after the other."""
        taken: dict[int, list[_Delivery]] = {}
        while self._ripe():
            _, _, delivery = heapq.heappop(self._due)
            taken.setdefault(id(delivery.subscription), []).append(delivery)
        groups: list[list[list[_Delivery]]] = []
        for deliveries in taken.values():
            if self.disorder.reverse:
                deliveries.reverse()
            size = self.disorder.batch
            batches = [deliveries[start : start + size] for start in range(0, len(deliveries), size)]
            groups += [batches] if self.disorder.reverse else [[batch] for batch in batches]
        self._under_way += len(groups)
        return groups

    def _send(self, group: list[list[_Delivery]], session: requests.Session) -> None:
        try:
            for batch in group:
                self._deliver(session, batch)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _deliver(self, session: requests.Session, batch: list[_Delivery]) -> None:
        subscription = batch[0].subscription
        at = self._clock.now()
        for delivery in batch:
            delivery.attempts += 1
        status = self._post(session, subscription, batch)
        ids = tuple(delivery.event.id for delivery in batch)
        with self._changed:
            self.attempts.append(Attempt(subscription.name, ids, at, batch[0].attempts, status))
            for delivery in batch:
                delivery.last_status = status
                self._after_answer(delivery, status)

    def _post(self, session: requests.Session, subscription: Subscription, batch: list[_Delivery]) -> int | None:
        events = [delivery.event.envelope(subscription.schema) for delivery in batch]
        body: object = events
        content_type = "application/json; charset=utf-8"
        if subscription.schema == CLOUD:
            # One event is sent in structured mode; several as a batch (CloudEvents 1.0, HTTP binding).
            body = events if self.disorder.batch > 1 else events[0]
            kind = "cloudevents-batch" if self.disorder.batch > 1 else "cloudevents"
            content_type = f"application/{kind}+json; charset=utf-8"
        headers = {
            **subscription.headers,
            "Content-Type": content_type,
            "aeg-event-type": "Notification",
            "aeg-subscription-name": subscription.name,
            "aeg-delivery-count": str(batch[0].attempts - 1),
        }
        try:
            # Redirects are not followed: what is not 200 to 204 is a failure.
            answer = session.post(
                subscription.url,
                data=json.dumps(body).encode(),
                headers=headers,
                timeout=self.disorder.answer_seconds,
                allow_redirects=False,
            )
        except requests.RequestException:
            return None
        return answer.status_code

    def _after_answer(self, delivery: _Delivery, status: int | None) -> None:
        if status is not None and 200 <= status <= 204:
            delivery.subscription.unhealthy_until = None
            self._repeat(delivery)
        elif status in NEVER_RETRIED:
            self._give_up(delivery, "UndeliverableDueToHttpStatus")
        elif delivery.attempts >= delivery.subscription.max_attempts:
            self._give_up(delivery, "MaxDeliveryAttemptsExceeded")
        else:
            self._try_later(delivery)

    def _repeat(self, delivery: _Delivery) -> None:
        """Sends again what was delivered, as often as the disorder asks for."""
        left = delivery.repeats_left or self.disorder.duplicates + 1
        if left > 1:
            delivery.repeats_left = left - 1
            self._push(self._clock.now(), delivery)

    def _try_later(self, delivery: _Delivery) -> None:
        now = self._clock.now()
        seconds = float(RETRY_SECONDS[min(delivery.attempts, len(RETRY_SECONDS)) - 1])
        seconds += seconds * self.disorder.jitter * self._random.random()
        due = now + timedelta(seconds=seconds)
        if due - delivery.published > delivery.subscription.time_to_live:
            self._give_up(delivery, "TimeToLiveExceeded")
            return
        if self.disorder.unhealthy_seconds:
            delivery.subscription.unhealthy_until = now + timedelta(seconds=self.disorder.unhealthy_seconds)
        self._push(due, delivery)

    def _give_up(self, delivery: _Delivery, reason: str) -> None:
        self.dead_letters.append(
            DeadLetter(delivery.subscription.name, delivery.event, delivery.attempts, delivery.last_status, reason)
        )
