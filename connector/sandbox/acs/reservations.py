"""Reservations of numbers that nobody has bought yet (PhoneNumbers contract 2025-06-01).

The client chooses the id. Each change keeps the numbers for another 15 minutes, at most two hours from creation.
They are not leases: a purchased number cannot be reserved.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from connector.clock import Clock
from connector.sandbox.acs.numbers import Numbers, available, check_request
from connector.sandbox.acs.responses import Call, ServiceError, wire_time
from connector.sandbox.acs.stock import AREAS

HOLD = timedelta(minutes=15)
LONGEST_HOLD = timedelta(hours=2)


@dataclass
class Reservation:
    """One reservation and the numbers in it, by their digits."""

    key: str
    created: datetime
    expires: datetime
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: str = "active"

    def status(self, now: datetime) -> str:
        """The status at a time of the sandbox's clock."""
        return "expired" if self.state == "active" and self.expires <= now else self.state

    def summary(self, now: datetime) -> dict[str, Any]:
        """What a list shows: without the numbers."""
        return {"id": self.key, "expiresAt": wire_time(self.expires), "status": self.status(now)}

    def whole(self, now: datetime) -> dict[str, Any]:
        """What reading one shows."""
        numbers = self.numbers
        if self.status(now) == "expired":
            numbers = {digits: {**number, "status": "expired"} for digits, number in numbers.items()}
        return {**self.summary(now), "phoneNumbers": numbers}


class Reservations:
    """The handlers of `/availablePhoneNumbers/reservations`."""

    def __init__(self, clock: Clock, numbers: Numbers) -> None:
        self._clock = clock
        self._numbers = numbers
        self._all: dict[str, Reservation] = {}

    def change(self, call: Call) -> Response:
        """Creates (201) or changes (200) one; 207 where a number could not be had."""
        key, now = _key(call), self._clock.now()
        self._expire(now)
        wanted = call.json().get("phoneNumbers") or {}
        for number in wanted.values():
            if number is not None:
                _check_number(number)
        created = key not in self._all
        reservation = self._all[key] if not created else Reservation(key, now, now)
        if not created and reservation.status(now) != "active":
            raise ServiceError(400, "InvalidInput", "The reservation is not active.", target="reservationid")
        self._all[key] = reservation
        reservation.expires = min(now + HOLD, reservation.created + LONGEST_HOLD)
        failed = {
            digits: error
            for digits, number in wanted.items()
            if (error := self._put(reservation, digits, number, now)) is not None
        }
        body = reservation.whole(now)
        body["phoneNumbers"] = {**body["phoneNumbers"], **failed}
        return JSONResponse(body, 207 if failed else 201 if created else 200)

    def get(self, call: Call) -> Response:
        """One reservation with its numbers."""
        return JSONResponse(self._find(call).whole(self._clock.now()))

    def list_all(self, call: Call) -> Response:
        """All reservations, without their numbers; one page, since nobody here makes many."""
        call.number("maxPageSize", 100)
        now = self._clock.now()
        return JSONResponse({"reservations": [one.summary(now) for one in self._all.values()]})

    def delete(self, call: Call) -> Response:
        """Drops an active reservation and frees its numbers."""
        reservation = self._active(call)
        self._free(reservation)
        del self._all[reservation.key]
        return Response(status_code=204)

    def purchase(self, call: Call) -> Response:
        """Buys all numbers of a reservation."""
        reservation = self._active(call)
        if not reservation.numbers:
            raise ServiceError(400, "InvalidInput", "The reservation is empty.", target="reservationid")
        self._numbers.check_purchase()
        reservation.state = "submitted"
        guid = str(uuid.uuid4())
        operation = self._numbers.operations.start(
            "reservationPurchase",
            guid,
            self._clock.now(),
            created=reservation.created,
            on_success=lambda: self._bought(reservation),
            on_failure=lambda: self._failed(reservation),
        )
        headers = {**self._numbers.operations.headers(operation, call), "reservation-purchase-id": guid}
        return Response(status_code=202, headers=headers)

    def _put(
        self, reservation: Reservation, digits: str, number: dict[str, Any] | None, now: datetime
    ) -> dict[str, Any] | None:
        """Adds or (null) removes a number; what comes back describes one that could not be had."""
        inventory = self._numbers.inventory
        if number is None:
            if reservation.numbers.pop(digits, None) is not None:
                inventory.reserved.discard(f"+{digits}")
            return None
        if digits in reservation.numbers:
            return None
        free = inventory.free(number["countryCode"], number["phoneNumberType"], None, now)
        if f"+{digits}" not in free:
            error = {"code": "FailedToReserveNumber", "message": "Failed to add the number to the reservation."}
            return {**available(f"+{digits}", number, "error"), "error": error}
        inventory.reserved.add(f"+{digits}")
        reservation.numbers[digits] = available(f"+{digits}", number, "reserved")
        return None

    def _find(self, call: Call) -> Reservation:
        try:
            return self._all[_key(call)]
        except KeyError:
            raise ServiceError(404, "NotFound", "The reservation cannot be found.", target="reservationid") from None

    def _active(self, call: Call) -> Reservation:
        now = self._clock.now()
        self._expire(now)
        reservation = self._find(call)
        if reservation.status(now) != "active":
            raise ServiceError(400, "InvalidInput", "The reservation is not active.", target="reservationid")
        return reservation

    def _expire(self, now: datetime) -> None:
        for reservation in self._all.values():
            if reservation.status(now) == "expired" and reservation.state == "active":
                reservation.state = "expired"
                self._free(reservation)

    def _free(self, reservation: Reservation) -> None:
        self._numbers.inventory.reserved.difference_update(f"+{digits}" for digits in reservation.numbers)

    def _bought(self, reservation: Reservation) -> None:
        self._free(reservation)
        reservation.state = "completed"
        for number in reservation.numbers.values():
            number["status"] = "purchased"
            self._numbers.inventory.add(number["phoneNumber"], number["countryCode"], number, self._clock.now())

    def _failed(self, reservation: Reservation) -> None:
        """A failed purchase gives the numbers back; what the service calls that state is not documented."""
        self._free(reservation)
        reservation.state = "expired"


def _key(call: Call) -> str:
    try:
        return str(uuid.UUID(call.path["reservation"]))
    except ValueError:
        raise ServiceError(400, "InvalidInput", "The reservation id is no UUID.", target="reservationid") from None


def _check_number(number: Any) -> None:
    if not isinstance(number, dict) or number.get("countryCode") not in AREAS:
        raise ServiceError(400, "InvalidInput", "The number names no supported country.", target="countrycode")
    check_request(number)
