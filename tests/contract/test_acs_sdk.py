"""The official ACS clients, unchanged, against the stand-in: with the access key and with an Entra token."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from azure.communication.callautomation import (
    CallAutomationClient,
    CommunicationUserIdentifier,
    PhoneNumberIdentifier,
)
from azure.communication.email import EmailClient
from azure.communication.phonenumbers import (
    PhoneNumberCapabilities,
    PhoneNumbersClient,
    PhoneNumberSearchResult,
)
from azure.communication.phonenumbers.siprouting import SipRoutingClient, SipTrunk, SipTrunkRoute
from azure.core.credentials import AzureKeyCredential, TokenCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from connector.sandbox import Sandbox
from connector.sandbox.faults import Fault
from tests.contract.receiver import receiving

Credential = AzureKeyCredential | TokenCredential
pytestmark = pytest.mark.usefixtures("fresh")

AGENT = "8:acs:00000000-0000-0000-0000-000000000000_agent"
BOTH_WAYS = PhoneNumberCapabilities(calling="inbound+outbound", sms="none")


@pytest.fixture(params=["key", "entra"])
def credential(request: pytest.FixtureRequest, sandbox: Sandbox, entra: TokenCredential) -> Credential:
    return entra if request.param == "entra" else AzureKeyCredential(sandbox.info.acs_access_key)


@pytest.fixture
def numbers(sandbox: Sandbox, credential: Credential) -> PhoneNumbersClient:
    return PhoneNumbersClient(sandbox.info.acs_endpoint, credential, connection_verify=sandbox.info.ca_file)


@pytest.fixture
def email(sandbox: Sandbox, credential: Credential) -> Iterator[EmailClient]:
    with EmailClient(
        sandbox.info.acs_endpoint, credential, connection_verify=sandbox.info.ca_file, retry_total=0
    ) as client:
        yield client


@pytest.fixture
def calls(sandbox: Sandbox, credential: Credential) -> Iterator[CallAutomationClient]:
    with closing(
        CallAutomationClient(sandbox.info.acs_endpoint, credential, connection_verify=sandbox.info.ca_file)
    ) as client:
        yield client


class Passing:
    """Lets the clock run while a poller polls, and notes the states that it saw."""

    def __init__(self, sandbox: Sandbox, seconds: float) -> None:
        self.states: list[str] = []
        self._sandbox = sandbox
        self._seconds = seconds

    def __call__(self, response: Any) -> None:
        if "/operations/" in response.http_request.url:
            self.states.append(response.http_response.json()["status"])
            self._sandbox.clock.advance(self._seconds)


def a_mail(sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    return {
        "senderAddress": sandbox.info.email_sender,
        "content": {"subject": "Emergency call", "plainText": "An agent has dialled 911."},
        "recipients": {"to": [{"address": "security@example.org"}]},
        **changes,
    }


def found(numbers: PhoneNumbersClient, sandbox: Sandbox, country: str = "US") -> PhoneNumberSearchResult:
    return numbers.begin_search_available_phone_numbers(
        country,
        "geographic",
        "application",
        BOTH_WAYS,
        polling_interval=0.01,
        raw_response_hook=Passing(sandbox, 3),
    ).result()


def test_purchased_numbers_are_listed_page_by_page(numbers: PhoneNumbersClient, sandbox: Sandbox) -> None:
    listed = [number.phone_number for number in numbers.list_purchased_phone_numbers(top=2)]
    assert listed == list(sandbox.acs.numbers.inventory.owned)
    pages = [seen.target for seen in sandbox.faults.log("acs") if seen.target.startswith("/phoneNumbers?")]
    assert len(pages) == (len(listed) + 1) // 2
    assert "skip=2" in pages[1]


def test_a_number_is_read_by_its_encoded_name(numbers: PhoneNumbersClient, sandbox: Sandbox) -> None:
    name = next(iter(sandbox.acs.numbers.inventory.owned))
    number = numbers.get_purchased_phone_number(name)
    assert number.phone_number == name
    assert number.cost.billing_frequency == "monthly"
    assert f"/phoneNumbers/%2B{name[1:]}" in sandbox.faults.log("acs")[-1].target
    with pytest.raises(ResourceNotFoundError, match="cannot be found"):
        numbers.get_purchased_phone_number("+12065550199")


def test_a_purchase_goes_back_and_forth_before_it_succeeds(numbers: PhoneNumbersClient, sandbox: Sandbox) -> None:
    result = found(numbers, sandbox)
    assert result.error == "NoError"
    assert result.phone_numbers is not None
    passing = Passing(sandbox, 2.4)
    poller = numbers.begin_purchase_phone_numbers(result.search_id, polling_interval=0.01, raw_response_hook=passing)
    assert poller.result() is None
    assert passing.states == ["running"] * 2 + ["notStarted"] * 8 + ["succeeded"]
    bought = numbers.get_purchased_phone_number(result.phone_numbers[0])
    assert bought.capabilities.calling == "inbound+outbound"
    numbers.begin_release_phone_number(
        bought.phone_number, polling_interval=0.01, raw_response_hook=Passing(sandbox, 4)
    ).result()
    with pytest.raises(ResourceNotFoundError):
        numbers.get_purchased_phone_number(bought.phone_number)
    again = found(numbers, sandbox)
    assert again.phone_numbers is not None
    assert bought.phone_number not in again.phone_numbers


def test_a_failed_operation_raises_with_the_code_of_the_service(numbers: PhoneNumbersClient, sandbox: Sandbox) -> None:
    result = found(numbers, sandbox)
    sandbox.acs.options.failing_operations = [{"code": "ProvisioningFailed", "message": "No number could be had."}]
    poller = numbers.begin_purchase_phone_numbers(
        result.search_id, polling_interval=0.01, raw_response_hook=Passing(sandbox, 13)
    )
    with pytest.raises(HttpResponseError) as failure:
        poller.result()
    assert failure.value.error is not None
    assert failure.value.error.code == "ProvisioningFailed"


def test_capabilities_are_changed(numbers: PhoneNumbersClient, sandbox: Sandbox) -> None:
    name = list(sandbox.acs.numbers.inventory.owned)[1]
    poller = numbers.begin_update_phone_number_capabilities(
        name, sms="none", calling="outbound", polling_interval=0.01, raw_response_hook=Passing(sandbox, 4)
    )
    assert poller.result().capabilities.calling == "outbound"


def test_free_numbers_are_browsed_and_reserved(numbers: PhoneNumbersClient, sandbox: Sandbox) -> None:
    browsed = numbers.browse_available_phone_numbers(
        country_code="GB", phone_number_type="geographic", calling_capability="inbound", sms_capability="none"
    )
    key = str(uuid.uuid4())
    reservation = numbers.create_or_update_reservation(reservation_id=key, numbers_to_add=browsed.phone_numbers[:2])
    assert reservation.status == "active"
    assert reservation.phone_numbers is not None
    assert [number.status for number in reservation.phone_numbers.values()] == ["reserved", "reserved"]
    taken = {number.phone_number for number in browsed.phone_numbers[:2]}
    later = numbers.browse_available_phone_numbers(country_code="GB", phone_number_type="geographic")
    assert taken.isdisjoint(number.phone_number for number in later.phone_numbers)
    assert key in [one.id for one in numbers.list_reservations()]
    numbers.begin_purchase_reservation(key, polling_interval=0.01, raw_response_hook=Passing(sandbox, 13)).result()
    assert numbers.get_reservation(key).status == "completed"
    assert taken <= {number.phone_number for number in numbers.list_purchased_phone_numbers()}


def test_sip_routing_is_read_and_changed(sandbox: Sandbox, credential: Credential) -> None:
    with closing(
        SipRoutingClient(sandbox.info.acs_endpoint, credential, connection_verify=sandbox.info.ca_file)
    ) as sip:
        before = [(trunk.fqdn, trunk.sip_signaling_port) for trunk in sip.list_trunks()]
        sip.set_trunk(SipTrunk(fqdn="new.example.org", sip_signaling_port=5061))  # type: ignore[no-untyped-call] # as the SDK has it
        assert sip.get_trunk("new.example.org").sip_signaling_port == 5061
        old_routes = list(sip.list_routes())
        # A pattern that only .NET compiles is kept as it is.
        route = SipTrunkRoute(name="all", number_pattern=r"^(?'plus'\+)?\d+$", trunks=["new.example.org"])  # type: ignore[no-untyped-call] # same
        sip.set_routes([route])
        assert [one.number_pattern for one in sip.list_routes()] == [route.number_pattern]
        with pytest.raises(HttpResponseError, match="names trunks that do not exist"):
            sip.delete_trunk("new.example.org")
        sip.set_routes(old_routes)
        sip.delete_trunk("new.example.org")
        assert [(trunk.fqdn, trunk.sip_signaling_port) for trunk in sip.list_trunks()] == before


def test_a_mail_is_accepted_at_once_and_sent_later(email: EmailClient, sandbox: Sandbox) -> None:
    operation_id = str(uuid.uuid4())
    accepted = email.begin_send(a_mail(sandbox), operation_id=operation_id, polling=False).result()
    assert accepted == {"id": operation_id, "status": "Running", "error": None}
    assert sandbox.acs.outbox[-1].operation_id == operation_id
    assert sandbox.acs.outbox[-1].recipients == ["security@example.org"]


def test_a_poller_waits_until_the_mail_was_handed_on(email: EmailClient, sandbox: Sandbox) -> None:
    # The wait between polls is the Retry-After; 0 leaves it to polling_interval, so that no real time passes.
    sandbox.acs.options.email_retry_after = 0
    passing = Passing(sandbox, 30)
    result = email.begin_send(a_mail(sandbox), polling_interval=0.01, raw_response_hook=passing).result()
    assert result["status"] == "Succeeded"
    assert passing.states == ["Running", "Succeeded"]


def test_a_dropped_mail_raises(email: EmailClient, sandbox: Sandbox) -> None:
    sandbox.acs.options.email_retry_after = 0
    sandbox.acs.options.failing_mails = ["EmailDropped"]
    poller = email.begin_send(a_mail(sandbox), polling_interval=0.01, raw_response_hook=Passing(sandbox, 30))
    with pytest.raises(HttpResponseError, match="EmailDropped"):
        poller.result()


def test_a_call_is_redirected(calls: CallAutomationClient, sandbox: Sandbox) -> None:
    event = sandbox.acs.incoming_call("+12065550111", "+14255550100")
    calls.redirect_call(event.data["incomingCallContext"], CommunicationUserIdentifier(AGENT))
    redirect = sandbox.acs.redirects[-1]
    assert (redirect.caller, redirect.called, redirect.target) == ("+12065550111", "+14255550100", AGENT)


def test_a_call_is_redirected_to_a_number(calls: CallAutomationClient, sandbox: Sandbox) -> None:
    event = sandbox.acs.incoming_call("+12065550111", "+14255550100")
    calls.redirect_call(event.data["incomingCallContext"], PhoneNumberIdentifier("+12065550122"))
    assert sandbox.acs.redirects[-1].target == "+12065550122"


def test_a_call_is_rejected_once(calls: CallAutomationClient, sandbox: Sandbox) -> None:
    event = sandbox.acs.incoming_call("+12065550111", "+14255550100")
    calls.reject_call(event.data["incomingCallContext"], call_reject_reason="busy")
    assert sandbox.acs.rejects[-1].reason == "busy"
    with pytest.raises(HttpResponseError, match="unknown, used or expired"):
        calls.reject_call(event.data["incomingCallContext"])


def test_an_answered_call_reports_to_its_callback(calls: CallAutomationClient, sandbox: Sandbox) -> None:
    event = sandbox.acs.incoming_call("+12065550111", "+14255550100")
    with receiving() as receiver:
        properties = calls.answer_call(event.data["incomingCallContext"], receiver.url, operation_context="call 1")
        assert properties.call_connection_id is not None
        assert properties.answered_for is not None
        assert properties.answered_for.properties["value"] == "+14255550100"
        receiver.wait_for(2)
        sandbox.acs.calls.hang_up(properties.call_connection_id)
        arrived = [one.body[0] for one in receiver.wait_for(3)]
    names = [one["type"].rpartition(".")[2] for one in arrived]
    assert names == ["ParticipantsUpdated", "CallConnected", "CallDisconnected"]
    assert {one["data"]["callConnectionId"] for one in arrived} == {properties.call_connection_id}


@pytest.mark.parametrize("make", [PhoneNumbersClient, EmailClient])
def test_connection_strings_work(make: Callable[..., Any], sandbox: Sandbox) -> None:
    text = f"endpoint={sandbox.info.acs_endpoint}/;accesskey={sandbox.info.acs_access_key}"
    client = make.from_connection_string(text, connection_verify=sandbox.info.ca_file)  # type: ignore[attr-defined] # a class method of both
    if make is PhoneNumbersClient:
        assert list(client.list_purchased_phone_numbers())
    else:
        with client:
            assert client.begin_send(a_mail(sandbox), polling=False).result()["status"] == "Running"


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    wrong = AzureKeyCredential("d3Jvbmc=")
    client = PhoneNumbersClient(sandbox.info.acs_endpoint, wrong, connection_verify=sandbox.info.ca_file)
    with pytest.raises(ClientAuthenticationError):
        list(client.list_purchased_phone_numbers())


def test_a_trailing_slash_breaks_the_signature_as_it_does_with_the_service(sandbox: Sandbox) -> None:
    key = AzureKeyCredential(sandbox.info.acs_access_key)
    client = PhoneNumbersClient(sandbox.info.acs_endpoint + "/", key, connection_verify=sandbox.info.ca_file)
    with pytest.raises(HttpResponseError):
        list(client.list_purchased_phone_numbers())


def test_the_client_repeats_a_503_with_the_same_ids_and_a_new_signature(sandbox: Sandbox) -> None:
    sandbox.faults.add("acs", Fault(status=503, path="/emails:send"))
    sandbox.faults.clear_log()
    key = AzureKeyCredential(sandbox.info.acs_access_key)
    with EmailClient(sandbox.info.acs_endpoint, key, connection_verify=sandbox.info.ca_file) as client:
        client.begin_send(a_mail(sandbox), operation_id=str(uuid.uuid4()), polling=False).result()
    first, second = sandbox.faults.log("acs")
    assert (first.status, second.status) == (503, 202)
    for name in ("operation-id", "x-ms-client-request-id"):
        assert first.headers[name] == second.headers[name]
