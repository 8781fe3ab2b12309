"""Phone numbers: owning, searching, buying, releasing (PhoneNumbers contract 2025-06-01).

Operations take their time by the sandbox's clock; timing and odd answers are those of recorded traffic.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from connector.clock import Clock
from connector.sandbox.acs.operations import Operations
from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.acs.responses import Call, ServiceError, wire_time
from connector.sandbox.acs.stock import AREAS, candidates, cost

KINDS = ("geographic", "tollFree", "mobile")
ASSIGNMENTS = ("person", "application")
CAPABILITIES = ("none", "inbound", "outbound", "inbound+outbound")
WEEK_DAYS = 7.0
BROWSED = 20  # how many numbers a browse shows; the service's own count is not documented


@dataclass
class Search:
    """A search that holds numbers for whoever buys it before it expires."""

    key: str
    created: datetime
    expires: datetime
    country: str
    request: dict[str, Any]
    numbers: list[str]
    ready: bool = False
    spent: bool = False


@dataclass
class Inventory:
    """Which numbers are owned, and which cannot be had at the moment."""

    owned: dict[str, dict[str, Any]] = field(default_factory=dict)
    # A released number cannot be bought again before the billing month ends; here it never comes back.
    released: set[str] = field(default_factory=set)
    searches: dict[str, Search] = field(default_factory=dict)
    reserved: set[str] = field(default_factory=set)

    def free(self, country: str, kind: str, area: str | None, now: datetime) -> Iterator[str]:
        """Numbers nobody owns, holds or has just given back."""
        held = {
            number
            for search in self.searches.values()
            if not search.spent and search.expires > now
            for number in search.numbers
        }
        gone = held | self.released | self.reserved | self.owned.keys()
        return (number for number in candidates(country, kind, area) if number not in gone)

    def add(self, number: str, country: str, request: dict[str, Any], now: datetime) -> None:
        """Makes a number ours, with the eight fields of the contract and nothing else."""
        self.owned[number] = {
            "id": number.removeprefix("+"),
            "phoneNumber": number,
            "countryCode": country,
            "phoneNumberType": request["phoneNumberType"],
            "capabilities": dict(request["capabilities"]),
            "assignmentType": request["assignmentType"],
            "purchaseDate": wire_time(now),
            "cost": cost(country, request["phoneNumberType"]),
        }


class Numbers:
    """The handlers of `/phoneNumbers` and `/availablePhoneNumbers`, reservations apart."""

    def __init__(self, clock: Clock, options: AcsOptions, owned: Iterable[dict[str, Any]]) -> None:
        self._clock = clock
        self._options = options
        self.operations = Operations(options)
        self.inventory = Inventory(owned={number["phoneNumber"]: dict(number) for number in owned})

    def list_owned(self, call: Call) -> Response:
        """A page of purchased numbers; `nextLink` is there while more follow."""
        skip, top = call.number("skip", 0), call.number("top", 100)
        if top == 0:
            raise ServiceError(400, "InvalidInput", "top must be at least 1.", target="top")
        numbers = list(self.inventory.owned.values())
        page: dict[str, Any] = {"phoneNumbers": numbers[skip : skip + top]}
        if skip + top < len(numbers):
            query = urlencode({"skip": skip + top, "top": top, "api-version": call.api_version})
            page["nextLink"] = f"/phoneNumbers?{query}"
        return JSONResponse(page)

    def get(self, call: Call) -> Response:
        """One purchased number, or the 404 that was recorded."""
        number = call.path["number"]
        if number not in self.inventory.owned:
            raise ServiceError(404, "NotFound", f"Input phoneNumber {number} cannot be found.", target="phonenumber")
        return JSONResponse(self.inventory.owned[number])

    def search(self, call: Call) -> Response:
        """Starts a search. The 202 is empty [recorded traffic], though the contract declares a body."""
        country, request, now = _country(call), call.json(), self._clock.now()
        check_request(request)
        quantity = request.get("quantity", 1)
        if not isinstance(quantity, int) or quantity < 1:
            raise ServiceError(400, "InvalidInput", "quantity must be at least 1.", target="quantity")
        self._check_quota("search", self._options.searches_per_week, WEEK_DAYS)
        guid = str(uuid.uuid4())
        found = self.inventory.free(country, request["phoneNumberType"], request.get("areaCode"), now)
        expires = now + timedelta(seconds=self._options.search_expires_seconds)
        search = Search(guid, now, expires, country, request, list(islice(found, quantity)))
        self.inventory.searches[guid] = search
        operation = self.operations.start(
            "search",
            guid,
            now,
            location=f"/availablePhoneNumbers/searchResults/{guid}",
            on_success=lambda: setattr(search, "ready", True),
            on_failure=lambda: setattr(search, "spent", True),
        )
        return Response(status_code=202, headers={**self.operations.headers(operation, call), "search-id": guid})

    def search_result(self, call: Call) -> Response:
        """What a finished search found. Judge it by `error`: there can be fewer numbers than asked for."""
        search = self._search(call.path["search"])
        kind = search.request["phoneNumberType"]
        error = _search_error(search)
        return JSONResponse(
            {
                "searchId": search.key,
                "phoneNumbers": search.numbers,
                "phoneNumberType": kind,
                "assignmentType": search.request["assignmentType"],
                "capabilities": search.request["capabilities"],
                "cost": cost(search.country, kind),
                "searchExpiresBy": wire_time(search.expires),
                "isAgreementToNotResellRequired": False,
                # The contract's example pairs OutOfStock with 1000; the other numbers are not documented.
                "errorCode": 1000 if error == "OutOfStock" else 0,
                "error": error,
            }
        )

    def purchase(self, call: Call) -> Response:
        """Buys what a search holds. Its operation shows the search's time of creation [recorded traffic]."""
        search = self._search(str(call.json().get("searchId", "")))
        now = self._clock.now()
        if search.spent or search.expires <= now:
            raise ServiceError(400, "SearchExpired", "The search has expired or was already purchased.")
        if not search.numbers:
            raise ServiceError(400, "InvalidInput", "The search holds no numbers.", target="searchid")
        self.check_purchase()
        search.spent = True
        self.inventory.reserved.update(search.numbers)
        guid = str(uuid.uuid4())
        operation = self.operations.start(
            "purchase",
            guid,
            now,
            created=search.created,
            on_success=lambda: self._finish_purchase(search),
            on_failure=lambda: self.inventory.reserved.difference_update(search.numbers),
        )
        return Response(status_code=202, headers={**self.operations.headers(operation, call), "purchase-id": guid})

    def release(self, call: Call) -> Response:
        """Gives a number back, in about seven seconds."""
        number = self._owned(call)
        guid = str(uuid.uuid4())
        operation = self.operations.start(
            "releasePhoneNumber", guid, self._clock.now(), on_success=lambda: self._give_back(number)
        )
        return Response(status_code=202, headers={**self.operations.headers(operation, call), "release-id": guid})

    def update_capabilities(self, call: Call) -> Response:
        """Changes what a number can do; what the patch does not name stays."""
        number, wanted = self._owned(call), call.json()
        for name, value in wanted.items():
            if name not in ("calling", "sms") or value not in CAPABILITIES:
                raise ServiceError(400, "InvalidInput", f"{value!r} is not a capability.", target=name)
        guid = str(uuid.uuid4())
        row = self.inventory.owned[number]
        operation = self.operations.start(
            "updatePhoneNumberCapabilities",
            guid,
            self._clock.now(),
            location=f"/phoneNumbers/%2B{row['id']}",
            on_success=lambda: row.update(capabilities={**row["capabilities"], **wanted}),
        )
        headers = {**self.operations.headers(operation, call), "capabilities-id": guid}
        return Response(status_code=202, headers=headers)

    def browse(self, call: Call) -> Response:
        """Some numbers that are free; not paginated. The service shuffles them, which nothing may rely on."""
        country, request = _country(call), call.json()
        kind = request.get("phoneNumberType")
        if kind not in KINDS:
            raise ServiceError(400, "InvalidInput", f"{kind!r} is not a type.", target="phonenumbertype")
        prefixes = tuple(request.get("phoneNumberPrefixes") or ("",))
        wanted = {
            "countryCode": country,
            "phoneNumberType": kind,
            "assignmentType": request.get("assignmentType") or "application",
            "capabilities": {"calling": "inbound+outbound", "sms": "none", **(request.get("capabilities") or {})},
        }
        free = self.inventory.free(country, kind, None, self._clock.now())
        matching = (number for number in free if number[1:].startswith(prefixes))
        found = [available(number, wanted, "available") for number in islice(matching, BROWSED)]
        return JSONResponse({"phoneNumbers": found})

    def operation(self, call: Call) -> Response:
        """The state of a long-running operation."""
        body, headers = self.operations.read(call, self._clock.now())
        return JSONResponse(body, headers=headers)

    def cancel_operation(self, call: Call) -> Response:
        """Drops a long-running operation."""
        self.operations.cancel(call.path["operation"])
        return Response(status_code=204)

    def check_purchase(self) -> None:
        """Refuses a purchase above the tenant's quota, which counts searches and reservations bought alike."""
        limit, bought = self._options.purchases_per_tenant, 0
        for kind in ("purchase", "reservationPurchase"):
            bought += self.operations.started_since(kind, self._clock.now(), None)
        if limit is not None and bought >= limit:
            raise ServiceError(
                self._options.number_limit_status, "PurchaseLimitExceeded", "No more purchases for this tenant."
            )

    def _check_quota(self, kind: str, limit: int | None, days: float) -> None:
        if limit is not None and self.operations.started_since(kind, self._clock.now(), days) >= limit:
            raise ServiceError(
                self._options.number_limit_status, "SearchLimitExceeded", "No more searches for this tenant now."
            )

    def _search(self, key: str) -> Search:
        search = self.inventory.searches.get(key)
        if search is None or not search.ready:
            raise ServiceError(404, "NotFound", f"Input searchId {key} cannot be found.", target="searchid")
        return search

    def _owned(self, call: Call) -> str:
        number = call.path["number"]
        if number not in self.inventory.owned:
            # Odd, but recorded: 404 with InternalError for a number that is not ours.
            raise ServiceError(404, "InternalError", "An internal error occurred.")
        return number

    def _finish_purchase(self, search: Search) -> None:
        self.inventory.reserved.difference_update(search.numbers)
        for number in search.numbers:
            self.inventory.add(number, search.country, search.request, self._clock.now())

    def _give_back(self, number: str) -> None:
        self.inventory.owned.pop(number, None)
        self.inventory.released.add(number)


def available(number: str, wanted: dict[str, Any], status: str) -> dict[str, Any]:
    """An AvailablePhoneNumber, as browsing and reservations show it."""
    return {
        "id": number.removeprefix("+"),
        "countryCode": wanted["countryCode"],
        "phoneNumber": number,
        "capabilities": wanted["capabilities"],
        "phoneNumberType": wanted["phoneNumberType"],
        "assignmentType": wanted["assignmentType"],
        "cost": cost(wanted["countryCode"], wanted["phoneNumberType"]),
        "status": status,
        "isAgreementToNotResellRequired": False,
    }


def check_request(request: dict[str, Any]) -> None:
    """The parts that a search and a reservation must name; toll-free numbers are for applications only."""
    kind, assignment = request.get("phoneNumberType"), request.get("assignmentType")
    if kind not in KINDS:
        raise ServiceError(400, "InvalidInput", f"{kind!r} is not a type.", target="phonenumbertype")
    if assignment not in ASSIGNMENTS or (kind == "tollFree" and assignment == "person"):
        raise ServiceError(400, "InvalidInput", f"{assignment!r} cannot be assigned.", target="assignmenttype")
    capabilities = request.get("capabilities")
    names = {"calling", "sms"}
    if not isinstance(capabilities, dict) or set(capabilities) != names:
        raise ServiceError(400, "InvalidInput", "capabilities need calling and sms.", target="capabilities")
    if any(value not in CAPABILITIES for value in capabilities.values()):
        raise ServiceError(400, "InvalidInput", "Not a capability.", target="capabilities")


def _search_error(search: Search) -> str:
    if not search.numbers:
        return "OutOfStock"
    return "NoError" if len(search.numbers) == search.request.get("quantity", 1) else "NumbersPartiallyAcquired"


def _country(call: Call) -> str:
    country = call.path["country"]
    if country not in AREAS:
        raise ServiceError(400, "InvalidInput", f"{country} is not supported.", target="countrycode")
    return country
