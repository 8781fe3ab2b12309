"""The answers of the ACS stand-in against Microsoft's published contracts (Swagger 2.0, azure-rest-api-specs).

The documents refer to shared definitions that are not among the copies; their places are taken by definitions of
ours, written down below. Two things that the service was recorded to do contradict its contract, and are allowed:
`error: null` in the status of a mail, and `resourceLocation: null` in a purchase.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from azure.core.rest import HttpResponse
from jsonschema import Draft4Validator, FormatChecker, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from connector.sandbox import Sandbox
from connector.sandbox.acs.app import VERSIONS
from tests.contract.conftest import Ask

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts" / "acs"
pytestmark = [
    pytest.mark.usefixtures("fresh"),
    pytest.mark.skipif(
        not CONTRACTS.is_dir(),
        reason="the published contracts are not beside the repository (../shared/contracts/acs)",
    ),
]

BASE = "https://contracts.example/specification/communication/data-plane/"
DOCUMENTS = {
    "numbers": "PhoneNumbers/stable/2025-06-01/phonenumbers.json",
    "sip": "SipRouting/stable/2023-03-01/communicationservicessiprouting.json",
    "email": "Email/stable/2025-09-01/CommunicationServicesEmail.json",
    "calls": "CallAutomation/stable/2026-03-12/communicationservicescallautomation.EXCERPT.json",
}
ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "target": {"type": "string"},
        "details": {"type": "array", "items": {"$ref": "#/definitions/CommunicationError"}},
        "innererror": {"$ref": "#/definitions/CommunicationError"},
    },
    "additionalProperties": False,
}
ERROR_ANSWER = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"$ref": "#/definitions/CommunicationError"}},
    "additionalProperties": False,
}
USER = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
PHONE = {"type": "object", "required": ["value"], "properties": {"value": {"type": "string"}}}
COMMON = {
    "definitions": {
        "CommunicationError": ERROR,
        "CommunicationErrorResponse": ERROR_ANSWER,
        "ErrorDetail": ERROR,
        "ErrorResponse": ERROR_ANSWER,
        "CommunicationUserIdentifierModel": USER,
        "CommunicationIdentifierModel": {
            "type": "object",
            "required": ["kind", "rawId"],
            "properties": {
                "kind": {"enum": ["communicationUser", "phoneNumber"]},
                "rawId": {"type": "string"},
                "communicationUser": {"$ref": "#/definitions/CommunicationUserIdentifierModel"},
                "phoneNumber": PHONE,
            },
            "additionalProperties": False,
        },
    }
}
# Named by the excerpt of the call automation contract, but not in it.
NOT_IN_EXCERPT: dict[str, Any] = {"PhoneNumberIdentifierModel": PHONE}

dates = FormatChecker(formats=())


@dates.checks("date-time", raises=ValueError)
def is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@cache
def document(service: str) -> dict[str, Any]:
    swagger: dict[str, Any] = json.loads((CONTRACTS / DOCUMENTS[service]).read_text(encoding="utf-8"))
    if service == "calls":
        swagger["definitions"] |= NOT_IN_EXCERPT
    return swagger


@cache
def registry() -> Registry[Any]:
    def common(uri: str) -> Resource[Any]:
        assert uri.endswith(("common.json", "types.json")), uri
        return Resource.from_contents(COMMON, default_specification=DRAFT4)

    known: Registry[Any] = Registry(retrieve=common)  # type: ignore[call-arg] # an attrs alias mypy does not see
    for service, path in DOCUMENTS.items():
        resource = Resource.from_contents(document(service), default_specification=DRAFT4)
        known = known.with_resource(urljoin(BASE, path), resource)
    return known


def check(service: str, method: str, path: str, response: HttpResponse) -> Any:
    """Checks status, declared headers and body of an answer; returns the body."""
    answers = document(service)["paths"][path][method.lower()]["responses"]
    status = str(response.status_code)
    error = response.status_code >= 400
    assert error or status in answers, f"{status} is not declared"
    declared = answers["default"] if error else answers[status]
    optional = {"retry-after", "location"} if method == "GET" else {"retry-after"}
    for name in declared.get("headers", {}):
        assert name.lower() in optional or name in response.headers, name
    body = json.loads(response.text()) if response.text() else None
    if "schema" not in declared:
        assert body is None
    elif body is None:
        # Recorded: the 202 of search and capabilities is empty, though the contract declares a body.
        assert status == "202"
        assert service == "numbers"
    else:
        answer = "default" if error else status
        validate(service, f"paths/{_pointer(path)}/{method.lower()}/responses/{answer}/schema", body)
    return body


def validate(service: str, place: str, body: dict[str, Any]) -> None:
    schema = {"$ref": f"{urljoin(BASE, DOCUMENTS[service])}#/{place}"}
    Draft4Validator(schema, registry=registry(), format_checker=dates).validate(_without_recorded_nulls(body))


def _pointer(path: str) -> str:
    return quote(path.replace("~", "~0").replace("/", "~1"))


def _without_recorded_nulls(body: dict[str, Any]) -> dict[str, Any]:
    recorded = ("error", "resourceLocation")
    return {name: value for name, value in body.items() if value is not None or name not in recorded}


COUNTRY = "/availablePhoneNumbers/countries/{countryCode}"
RESERVATION = "/availablePhoneNumbers/reservations/{reservationId}"
SEARCH = {
    "phoneNumberType": "geographic",
    "assignmentType": "person",
    "capabilities": {"calling": "inbound+outbound", "sms": "none"},
}


class Checked:
    """Asks the stand-in and checks the answer, by the path as the contract writes it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.response: HttpResponse | None = None

    def __call__(
        self, method: str, path: str, body: Any = None, *, expect: int, headers: Any = None, **fill: str
    ) -> Any:
        service = next(name for name in DOCUMENTS if path in document(name)["paths"])
        filled = re.sub(r"\{(\w+)\}", lambda found: quote(fill[found[1]], safe=""), path)
        response = self._ask(method, f"{filled}?api-version={VERSIONS[service]}", body, headers)
        self.response = response
        assert response.status_code == expect, response.text()
        return check(service, method, path, response)

    def header(self, name: str) -> str:
        assert self.response is not None
        return str(self.response.headers[name])


@pytest.fixture
def checked(ask: Ask) -> Checked:
    return Checked(ask)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"purchaseDate": "yesterday"}, "purchaseDate|yesterday"),
        ({"cost": {"amount": "1"}}, "amount|is not of type|required"),
        ({"phoneNumberType": "satellite"}, "satellite"),
        ({"id": None}, "None is not of type"),
    ],
)
def test_the_check_itself_finds_faults(sandbox: Sandbox, change: dict[str, Any], fault: str) -> None:
    number = next(iter(sandbox.acs.numbers.inventory.owned.values()))
    validate("numbers", "definitions/PurchasedPhoneNumber", number)
    with pytest.raises(ValidationError, match=fault):
        validate("numbers", "definitions/PurchasedPhoneNumber", {**number, **change})


def test_shared_definitions_are_checked_too() -> None:
    with pytest.raises(ValidationError, match="'message' is a required property"):
        validate("numbers", "definitions/CommunicationErrorResponse", {"error": {"code": "NotFound"}})


def test_owned_numbers(checked: Checked, sandbox: Sandbox) -> None:
    page = checked("GET", "/phoneNumbers", expect=200)
    assert len(page["phoneNumbers"]) == len(sandbox.acs.numbers.inventory.owned)
    number = page["phoneNumbers"][0]["phoneNumber"]
    assert checked("GET", "/phoneNumbers/{phoneNumber}", expect=200, phoneNumber=number)["phoneNumber"] == number
    checked("GET", "/phoneNumbers/{phoneNumber}", expect=404, phoneNumber="+12065550199")


def test_a_number_from_search_to_release(checked: Checked, sandbox: Sandbox) -> None:
    operation = "/phoneNumbers/operations/{operationId}"
    checked("POST", f"{COUNTRY}/:search", SEARCH, expect=202, countryCode="CA")
    search_id, running = checked.header("search-id"), checked.header("operation-id")
    assert checked("GET", operation, expect=200, operationId=running)["status"] == "notStarted"
    sandbox.clock.advance(3)
    assert checked("GET", operation, expect=200, operationId=running)["status"] == "succeeded"
    path = "/availablePhoneNumbers/searchResults/{searchId}"
    number = checked("GET", path, expect=200, searchId=search_id)["phoneNumbers"][0]
    checked("POST", "/availablePhoneNumbers/:purchase", {"searchId": search_id}, expect=202)
    sandbox.clock.advance(26)
    bought = checked("GET", operation, expect=200, operationId=checked.header("operation-id"))
    assert (bought["status"], bought["resourceLocation"]) == ("succeeded", None)
    patch = {"calling": "outbound"}
    checked("PATCH", "/phoneNumbers/{phoneNumber}/capabilities", patch, expect=202, phoneNumber=number)
    checked("DELETE", "/phoneNumbers/{phoneNumber}", expect=202, phoneNumber=number)
    release = checked.header("operation-id")
    checked("DELETE", operation, expect=204, operationId=release)
    checked("GET", operation, expect=404, operationId=release)


def test_a_country_that_is_not_sold(checked: Checked) -> None:
    refused = checked("POST", f"{COUNTRY}/:search", SEARCH, expect=400, countryCode="ZZ")
    assert (refused["error"]["code"], refused["error"]["target"]) == ("InvalidInput", "countrycode")


def test_an_empty_search_says_so(checked: Checked, sandbox: Sandbox) -> None:
    checked("POST", f"{COUNTRY}/:search", SEARCH, expect=202, countryCode="DK")
    search_id = checked.header("search-id")
    sandbox.clock.advance(3)
    path = "/availablePhoneNumbers/searchResults/{searchId}"
    assert checked("GET", path, expect=200, searchId=search_id)["error"] == "OutOfStock"


def test_reservations(checked: Checked, sandbox: Sandbox) -> None:
    key = str(uuid.uuid4())
    browsed = checked("POST", f"{COUNTRY}/:browse", {"phoneNumberType": "tollFree"}, expect=200, countryCode="US")
    first, second = ({one["id"]: _wanted(one)} for one in browsed["phoneNumbers"][:2])
    checked("PATCH", RESERVATION, {"phoneNumbers": first}, expect=201, reservationId=key)
    checked("PATCH", RESERVATION, {"phoneNumbers": second}, expect=200, reservationId=key)
    checked("GET", RESERVATION, expect=200, reservationId=key)
    # Someone else wants a number that is reserved.
    partly = checked("PATCH", RESERVATION, {"phoneNumbers": first}, expect=207, reservationId=str(uuid.uuid4()))
    assert [one["error"]["code"] for one in partly["phoneNumbers"].values()] == ["FailedToReserveNumber"]
    listed = checked("GET", "/availablePhoneNumbers/reservations", expect=200)
    assert all("phoneNumbers" not in one for one in listed["reservations"])
    checked("POST", f"{RESERVATION}/:purchase", {}, expect=202, reservationId=key)
    sandbox.clock.advance(26)
    assert checked("GET", RESERVATION, expect=200, reservationId=key)["status"] == "completed"
    checked("DELETE", RESERVATION, expect=400, reservationId=key)


def _wanted(number: dict[str, Any]) -> dict[str, Any]:
    return {name: number[name] for name in ("countryCode", "phoneNumberType", "assignmentType", "capabilities")}


def test_sip_routing(checked: Checked) -> None:
    merge = {"Content-Type": "application/merge-patch+json"}
    change = {"trunks": {"one.example.org": {"sipSignalingPort": 5061}}}
    assert "one.example.org" in checked("PATCH", "/sip", change, expect=200, headers=merge)["trunks"]
    assert "one.example.org" in checked("GET", "/sip", expect=200)["trunks"]
    gone = checked("PATCH", "/sip", {"trunks": {"one.example.org": None}}, expect=200, headers=merge)
    assert "one.example.org" not in gone["trunks"]
    bad = {"routes": [{"name": "n" * 257, "numberPattern": "1"}]}
    checked("PATCH", "/sip", bad, expect=400, headers=merge)


def test_mail(checked: Checked, sandbox: Sandbox) -> None:
    mail = {
        "senderAddress": sandbox.info.email_sender,
        "content": {"subject": "s"},
        "recipients": {"to": [{"address": "a@example.org"}]},
    }
    sandbox.acs.options.failing_mails = ["EmailDropped"]
    accepted = checked("POST", "/emails:send", mail, expect=202)
    status = "/emails/operations/{operationId}"
    assert checked("GET", status, expect=200, operationId=accepted["id"])["status"] == "Running"
    sandbox.clock.advance(30)
    failed = checked("GET", status, expect=200, operationId=accepted["id"])
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "EmailDropped")
    checked("GET", status, expect=404, operationId=str(uuid.uuid4()))
    foreign = {**mail, "senderAddress": "a@elsewhere.example"}
    assert checked("POST", "/emails:send", foreign, expect=404)["error"]["code"] == "DomainNotLinked"


def test_calls(checked: Checked, sandbox: Sandbox) -> None:
    target = {"rawId": "8:acs:1", "communicationUser": {"id": "8:acs:1"}}
    calls = "/calling/callConnections"
    for action, extra, status in (
        ("redirect", {"target": target}, 204),
        ("reject", {}, 204),
        ("answer", {"callbackUri": "http://127.0.0.1:9/callback"}, 200),
    ):
        event = sandbox.acs.incoming_call("+12065550111", "+14255550100")
        body = {"incomingCallContext": event.data["incomingCallContext"], **extra}
        checked("POST", f"{calls}:{action}", body, expect=status)
        checked("POST", f"{calls}:{action}", body, expect=400)


@pytest.mark.parametrize(
    ("schema", "folder"),
    [("EventGridSchema", "event-grid-schema"), ("CloudEventSchemaV1_0", "cloud-events-schema")],
)
def test_incoming_call_has_the_keys_of_the_sample(sandbox: Sandbox, schema: Any, folder: str) -> None:
    sample = _sample(folder, "incoming_call")
    event = sandbox.acs.incoming_call("8:acs:1", "8:acs:2").envelope(schema)
    assert event.keys() == sample.keys()
    # Only on behalf of somebody else, hence in one sample of two.
    assert event["data"].keys() == sample["data"].keys() - {"onBehalfOfCallee"}
    assert event["data"]["from"].keys() == sample["data"]["from"].keys()


def test_a_delivery_report_has_the_keys_of_the_sample(sandbox: Sandbox, ask: Ask, reports: list[Any]) -> None:
    sample = _sample("event-grid-schema", "email_delivery_report_received")
    mail = {
        "senderAddress": sandbox.info.email_sender,
        "content": {"subject": "s"},
        "recipients": {"to": [{"address": "a@example.org"}]},
    }
    ask("POST", f"/emails:send?api-version={VERSIONS['email']}", mail, None)
    event = reports[0].envelope("EventGridSchema")
    assert event.keys() == sample.keys()
    assert event["data"].keys() == sample["data"].keys()


@pytest.fixture
def reports(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the stand-in publishes, before a subscription filters it."""
    published: list[Any] = []
    monkeypatch.setattr(sandbox.acs.email, "_publish", lambda event, _after: published.append(event))
    return published


def _sample(folder: str, name: str) -> dict[str, Any]:
    path = CONTRACTS / "eventgrid/Microsoft.Communication/stable/2018-01-01/examples" / folder / f"{name}.json"
    sample: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return sample
