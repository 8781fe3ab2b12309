"""What the ACS stand-in does beyond the contract: signatures, repeats, rates, quotas, ringing, callback tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterator
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import jwt
import pytest
import requests
from azure.core.credentials import TokenCredential

from connector.sandbox import Sandbox
from connector.sandbox.acs.app import VERSIONS
from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.faults import Fault
from tests.contract.conftest import Ask
from tests.contract.receiver import receiving

SEND = f"/emails:send?api-version={VERSIONS['email']}"
NUMBERS = f"/phoneNumbers?api-version={VERSIONS['numbers']}"
REDIRECT = f"/calling/callConnections:redirect?api-version={VERSIONS['calls']}"
AGENT = {"rawId": "8:acs:agent", "communicationUser": {"id": "8:acs:agent"}}


def mail(sandbox: Sandbox, count: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "senderAddress": sandbox.info.email_sender,
        "content": {"subject": "Emergency call"},
        "recipients": {"to": [{"address": f"r{number}@example.org"} for number in range(count)]},
        **changes,
    }


def status_of(operation_id: str) -> str:
    return f"/emails/operations/{operation_id}?api-version={VERSIONS['email']}"


class TestSignature:
    @pytest.fixture
    def session(self, fresh: Sandbox) -> Iterator[requests.Session]:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = fresh.info.ca_file
            yield session

    def get(self, session: requests.Session, sandbox: Sandbox, target: str, **changes: str) -> requests.Response:
        """A signed GET of our own making; `changes` replace headers after they were signed."""
        host = sandbox.info.acs_endpoint.removeprefix("https://")
        date = changes.pop("date", formatdate(usegmt=True))
        content = base64.b64encode(hashlib.sha256(b"").digest()).decode()
        key = base64.b64decode(sandbox.info.acs_access_key)
        text = f"GET\n{changes.pop('signed_target', target)}\n{date};{host};{content}"
        signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        headers = {
            "x-ms-date": date,
            "x-ms-content-sha256": content,
            "Authorization": "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + signature,
        }
        changed = {name.replace("_", "-"): value for name, value in changes.items()}
        return session.get(sandbox.info.acs_endpoint + target, headers={**headers, **changed})

    def test_a_right_one_opens(self, session: requests.Session, fresh: Sandbox) -> None:
        assert self.get(session, fresh, NUMBERS).status_code == 200

    def test_the_target_is_signed_as_it_is_sent(self, session: requests.Session, fresh: Sandbox) -> None:
        number = next(iter(fresh.acs.numbers.inventory.owned))[1:]
        query = f"?api-version={VERSIONS['numbers']}"
        sent, decoded = f"/phoneNumbers/%2B{number}{query}", f"/phoneNumbers/+{number}{query}"
        assert self.get(session, fresh, sent).status_code == 200
        assert self.get(session, fresh, sent, signed_target=decoded).status_code == 401

    @pytest.mark.parametrize(
        "changes",
        [
            {"x_ms_date": "Sun, 06 Nov 1994 08:49:37 GMT"},
            {"x_ms_content_sha256": "AAAA"},
            {"host": "other.example"},
            {"Authorization": "HMAC-SHA256 SignedHeaders=host&Signature=AAAA"},
            {"Authorization": "HMAC-SHA256 Signature"},
            {"Authorization": "Basic AAAA"},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer nonsense"},
            {"signed_target": "/phoneNumbers"},
        ],
    )
    def test_a_wrong_one_does_not(self, session: requests.Session, fresh: Sandbox, changes: dict[str, str]) -> None:
        answer = self.get(session, fresh, NUMBERS, **changes)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Denied")
        assert answer.headers["x-ms-error-code"] == "Denied"

    def test_an_old_date_is_refused_only_when_a_skew_is_set(self, session: requests.Session, fresh: Sandbox) -> None:
        now = fresh.clock.now().timestamp()
        old = formatdate(now - 1000, usegmt=True)
        assert self.get(session, fresh, NUMBERS, date=old).status_code == 200
        fresh.acs.options.clock_skew_seconds = 900
        assert self.get(session, fresh, NUMBERS, date=old).status_code == 401
        assert self.get(session, fresh, NUMBERS, date=formatdate(now, usegmt=True)).status_code == 200
        assert self.get(session, fresh, NUMBERS, date="yesterday").status_code == 401

    def test_a_token_of_another_resource_is_refused(
        self, session: requests.Session, fresh: Sandbox, entra: TokenCredential
    ) -> None:
        def status(scope: str) -> int:
            bearer = f"Bearer {entra.get_token(scope).token}"
            return session.get(fresh.info.acs_endpoint + NUMBERS, headers={"Authorization": bearer}).status_code

        assert status("https://communication.azure.com//.default") == 200
        assert status(f"{fresh.info.dataverse_url}/.default") == 401


@pytest.mark.parametrize("query", ["", "?api-version=2020-01-01"])
def test_an_unknown_version_is_refused(ask: Ask, query: str) -> None:
    assert ask("GET", f"/phoneNumbers{query}").status_code == 400


def test_older_versions_can_be_let_in(ask: Ask, fresh: Sandbox) -> None:
    fresh.acs.options.change({"more_versions": ["2024-01-01"]})
    assert ask("GET", "/phoneNumbers?api-version=2024-01-01&top=1").json()["nextLink"].endswith("2024-01-01")


def test_the_clients_request_id_comes_back(ask: Ask) -> None:
    assert ask("GET", NUMBERS, headers={"x-ms-client-request-id": "abc"}).headers["x-ms-client-request-id"] == "abc"


class TestMail:
    @pytest.mark.parametrize(("mode", "status", "mails"), [("same", 202, 1), ("reject", 400, 1), ("duplicate", 202, 2)])
    def test_a_repeated_operation_id(self, ask: Ask, fresh: Sandbox, mode: str, status: int, mails: int) -> None:
        fresh.acs.options.change({"email_repeat": mode})
        operation_id = str(uuid.uuid4())
        first = ask("POST", SEND, mail(fresh), {"Operation-Id": operation_id})
        # Ids are UUIDs: case does not make another one.
        second = ask("POST", SEND, mail(fresh), {"Operation-Id": operation_id.upper()})
        assert (first.status_code, second.status_code) == (202, status)
        assert len(fresh.acs.outbox) == mails
        assert fresh.acs.outbox[0].requests == 2
        if mode == "same":
            assert second.json() == first.json()
            assert second.headers["Operation-Location"] == first.headers["Operation-Location"]

    @pytest.mark.parametrize(
        "change",
        [
            {"senderAddress": None},
            {"content": {"plainText": "no subject"}},
            {"recipients": {}},
            {"recipients": {"to": [{"displayName": "no address"}]}},
            {"attachments": [{"name": "map.png"}]},
        ],
    )
    def test_an_incomplete_mail_is_refused(self, ask: Ask, fresh: Sandbox, change: dict[str, Any]) -> None:
        assert ask("POST", SEND, mail(fresh, **change)).status_code == 400
        assert fresh.acs.outbox == []

    def test_the_operation_id_must_be_a_uuid(self, ask: Ask, fresh: Sandbox) -> None:
        assert ask("POST", SEND, mail(fresh), {"Operation-Id": "call-1"}).status_code == 400

    def test_fifty_recipients_are_taken_and_no_more(self, ask: Ask, fresh: Sandbox) -> None:
        assert ask("POST", SEND, mail(fresh, 50)).status_code == 202
        assert ask("POST", SEND, mail(fresh, 51)).status_code == 400

    def test_ten_megabytes_are_the_limit(self, ask: Ask, fresh: Sandbox) -> None:
        attachment = {"name": "a", "contentType": "text/plain", "contentInBase64": "A" * (10 * 1024 * 1024)}
        assert ask("POST", SEND, mail(fresh, attachments=[attachment])).status_code == 413

    @pytest.mark.parametrize(("kind", "minute", "hour"), [("custom", 30, 100), ("managed", 5, 10)])
    def test_rates(self, ask: Ask, fresh: Sandbox, kind: str, minute: int, hour: int) -> None:
        fresh.clock.advance(3600)  # past what earlier tests sent
        fresh.acs.options.change({"email_rates": kind})

        def accepted(tries: int) -> int:
            return sum(ask("POST", SEND, mail(fresh)).status_code == 202 for _ in range(tries))

        assert accepted(minute + 1) == minute
        fresh.clock.advance(60)
        sent = minute + 1  # the refused one counts as well
        while sent + minute <= hour:
            assert accepted(minute) == minute
            fresh.clock.advance(60)
            sent += minute
        assert accepted(minute) == hour - sent

    @pytest.mark.parametrize("told", [True, False])
    def test_a_refusal_may_tell_how_long_to_wait(self, ask: Ask, fresh: Sandbox, told: bool) -> None:
        fresh.clock.advance(3600)
        fresh.acs.options.change({"email_rates": "managed", "email_rate_retry_after": told})
        answers = [ask("POST", SEND, mail(fresh)) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429]
        assert answers[-1].json()["error"]["code"] == "TooManyRequests"
        wait = answers[-1].headers.get("Retry-After")
        assert (wait is not None) is told
        if wait is not None:
            fresh.clock.advance(int(wait))
            assert ask("POST", SEND, mail(fresh)).status_code == 202

    def test_reading_the_status_has_a_rate_of_its_own(self, ask: Ask, fresh: Sandbox) -> None:
        operation_id = ask("POST", SEND, mail(fresh)).json()["id"]
        fresh.clock.advance(3600)
        fresh.acs.options.change({"email_rates": "managed"})
        statuses = [ask("GET", status_of(operation_id)).status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]

    def test_a_mail_runs_for_thirty_seconds(self, ask: Ask, fresh: Sandbox) -> None:
        accepted = ask("POST", SEND, mail(fresh))
        assert accepted.headers["Retry-After"] == "30"
        path = accepted.headers["Operation-Location"].removeprefix(fresh.info.acs_endpoint)
        running = ask("GET", path)
        assert (running.json()["status"], running.headers["Retry-After"]) == ("Running", "30")
        fresh.clock.advance(30)
        done = ask("GET", path)
        assert done.json()["status"] == "Succeeded"
        assert "Retry-After" not in done.headers

    def test_a_status_can_be_lost_though_the_mail_was_sent(self, ask: Ask, fresh: Sandbox) -> None:
        operation_id = ask("POST", SEND, mail(fresh)).json()["id"]
        fresh.acs.options.email_status_lost = True
        assert ask("GET", status_of(operation_id)).status_code == 404
        assert [one.operation_id for one in fresh.acs.outbox] == [operation_id]

    def test_every_recipient_gets_a_delivery_report(self, ask: Ask, fresh: Sandbox) -> None:
        fresh.acs.options.delivery_statuses = {"r1@example.org": "Bounced"}
        with receiving() as receiver:
            fresh.event_grid.subscribe(receiver.url)
            operation_id = ask("POST", SEND, mail(fresh, 3)).json()["id"]
            fresh.event_grid.wait_idle()
            assert receiver.notifications == []
            fresh.clock.advance(fresh.acs.options.report_seconds)
            assert fresh.event_grid.wait_idle()
            events = [one.body[0] for one in receiver.notifications]
        data = sorted((event["data"] for event in events), key=lambda one: one["recipient"])
        assert [one["recipient"] for one in data] == ["r0@example.org", "r1@example.org", "r2@example.org"]
        assert [one["status"] for one in data] == ["Delivered", "Bounced", "Delivered"]
        assert {one["messageId"] for one in data} == {operation_id}

    def test_suppressed_recipients_fail_the_mail_and_are_reported(self, ask: Ask, fresh: Sandbox) -> None:
        fresh.acs.options.failing_mails = ["EmailDroppedAllRecipientsSuppressed"]
        with receiving() as receiver:
            fresh.event_grid.subscribe(receiver.url)
            operation_id = ask("POST", SEND, mail(fresh)).json()["id"]
            fresh.clock.advance(40)
            assert fresh.event_grid.wait_idle()
            assert [one.body[0]["data"]["status"] for one in receiver.notifications] == ["Suppressed"]
        assert ask("GET", status_of(operation_id)).json()["status"] == "Failed"


class TestNumbers:
    SEARCH = "/availablePhoneNumbers/countries/US/:search"
    BODY = {  # noqa: RUF012 - a constant of the tests
        "phoneNumberType": "tollFree",
        "assignmentType": "application",
        "capabilities": {"calling": "inbound+outbound", "sms": "none"},
    }

    def search(self, ask: Ask, **changes: Any) -> Any:
        return ask("POST", f"{self.SEARCH}?api-version={VERSIONS['numbers']}", {**self.BODY, **changes})

    def purchase(self, ask: Ask, search_id: str) -> Any:
        path = f"/availablePhoneNumbers/:purchase?api-version={VERSIONS['numbers']}"
        return ask("POST", path, {"searchId": search_id})

    def test_the_default_quotas_are_those_of_a_new_tenant(self, ask: Ask, fresh: Sandbox) -> None:
        assert AcsOptions().purchases_per_tenant == 1
        fresh.acs.options.searches_per_week = AcsOptions().searches_per_week
        fresh.clock.advance(timedelta(days=7).total_seconds())
        found = [self.search(ask) for _ in range(6)]
        assert [one.status_code for one in found] == [202] * 5 + [403]
        fresh.clock.advance(timedelta(days=7).total_seconds())
        assert self.search(ask).status_code == 202

    def test_one_purchase_uses_up_the_quota(self, ask: Ask, fresh: Sandbox) -> None:
        ids = [self.search(ask).headers["search-id"] for _ in range(2)]
        fresh.clock.advance(3)
        done = fresh.acs.numbers.operations.started_since("purchase", fresh.clock.now(), None)
        fresh.acs.options.purchases_per_tenant = done + 1
        assert [self.purchase(ask, one).status_code for one in ids] == [202, 403]

    def test_a_search_expires(self, ask: Ask, fresh: Sandbox) -> None:
        search_id = self.search(ask).headers["search-id"]
        fresh.clock.advance(960)
        assert self.purchase(ask, search_id).json()["error"]["code"] == "SearchExpired"

    def test_a_search_is_bought_once(self, ask: Ask, fresh: Sandbox) -> None:
        search_id = self.search(ask).headers["search-id"]
        fresh.clock.advance(3)
        assert [self.purchase(ask, search_id).status_code for _ in range(2)] == [202, 400]

    def test_two_searches_never_hold_the_same_number(self, ask: Ask, fresh: Sandbox) -> None:
        ids = [self.search(ask, quantity=3).headers["search-id"] for _ in range(2)]
        fresh.clock.advance(3)
        path = "/availablePhoneNumbers/searchResults/{}?api-version=" + VERSIONS["numbers"]
        first, second = (set(ask("GET", path.format(one)).json()["phoneNumbers"]) for one in ids)
        assert len(first) == len(second) == 3
        assert first.isdisjoint(second)

    @pytest.mark.parametrize(
        "changes",
        [
            {"assignmentType": "person"},
            {"phoneNumberType": "satellite"},
            {"capabilities": {"calling": "inbound"}},
            {"quantity": 0},
        ],
    )
    def test_a_wrong_search_is_refused(self, ask: Ask, changes: dict[str, Any]) -> None:
        assert self.search(ask, **changes).status_code == 400

    def test_a_foreign_number_is_answered_in_the_odd_way_that_was_recorded(self, ask: Ask) -> None:
        path = f"/phoneNumbers/%2B12065550199?api-version={VERSIONS['numbers']}"
        answer = ask("DELETE", path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "InternalError")

    def test_a_reservation_ends_fifteen_minutes_after_its_last_change(self, ask: Ask, fresh: Sandbox) -> None:
        path = f"/availablePhoneNumbers/reservations/{uuid.uuid4()}?api-version={VERSIONS['numbers']}"
        wanted = {"countryCode": "GB", "phoneNumberType": "geographic", **self.BODY} | {"phoneNumberType": "geographic"}
        assert ask("PATCH", path, {"phoneNumbers": {"441632960500": wanted}}).status_code == 201
        for _ in range(9):
            fresh.clock.advance(14 * 60)
            status = ask("PATCH", path, {"phoneNumbers": {}}).status_code
        # Two hours after its creation no change helps any more.
        assert status == 400
        assert ask("GET", path).json()["status"] == "expired"


class TestCalls:
    def redirect(self, ask: Ask, context: str, request_id: str | None = None) -> int:
        headers = {}
        if request_id:
            headers = {"Repeatability-Request-ID": request_id, "Repeatability-First-Sent": formatdate(usegmt=True)}
        return ask("POST", REDIRECT, {"incomingCallContext": context, "target": AGENT}, headers).status_code

    def test_a_call_rings_for_thirty_seconds(self, ask: Ask, fresh: Sandbox) -> None:
        late = fresh.acs.incoming_call("+12065550111", "+14255550100").data["incomingCallContext"]
        fresh.clock.advance(31)
        assert self.redirect(ask, late) == 400
        in_time = fresh.acs.incoming_call("+12065550111", "+14255550100").data["incomingCallContext"]
        fresh.clock.advance(29)
        assert self.redirect(ask, in_time) == 204

    def test_a_voip_call_cannot_go_to_a_number(self, ask: Ask, fresh: Sandbox) -> None:
        context = fresh.acs.incoming_call("8:acs:caller", "8:acs:called").data["incomingCallContext"]
        to_number = {"incomingCallContext": context, "target": {"phoneNumber": {"value": "+12065550122"}}}
        assert ask("POST", REDIRECT, to_number).status_code == 400
        # The refusal does not use the call up.
        assert self.redirect(ask, context) == 204

    def test_an_unknown_context_is_refused(self, ask: Ask) -> None:
        assert self.redirect(ask, "made up") == 400

    def test_the_same_repeatability_id_is_executed_once(self, ask: Ask, fresh: Sandbox) -> None:
        before = len(fresh.acs.redirects)
        context = fresh.acs.incoming_call("+12065550111", "+14255550100").data["incomingCallContext"]
        request_id = str(uuid.uuid4())
        assert [self.redirect(ask, context, request_id) for _ in range(3)] == [204] * 3
        assert self.redirect(ask, context, str(uuid.uuid4())) == 400
        assert len(fresh.acs.redirects) == before + 1

    @pytest.mark.parametrize("request_id", ["1", "c232ab00-9414-11ec-b3c8-9f6bdeced846"])
    def test_the_repeatability_id_must_be_a_random_uuid(self, ask: Ask, fresh: Sandbox, request_id: str) -> None:
        context = fresh.acs.incoming_call("+12065550111", "+14255550100").data["incomingCallContext"]
        assert self.redirect(ask, context, request_id) == 400

    @pytest.mark.parametrize("second", [True, False])
    def test_redirecting_to_an_identity_rings_a_second_time(self, ask: Ask, fresh: Sandbox, second: bool) -> None:
        fresh.acs.options.second_incoming_call = second
        with receiving() as receiver:
            fresh.event_grid.subscribe(receiver.url)
            first = fresh.acs.incoming_call("+12065550111", "+14255550100")
            receiver.wait_for(2)
            assert self.redirect(ask, first.data["incomingCallContext"]) == 204
            assert fresh.event_grid.wait_idle()
            calls = [one.body[0]["data"] for one in receiver.notifications]
        assert [call["to"]["rawId"] for call in calls] == ["4:+14255550100", "8:acs:agent"][: 1 + second]
        assert {call["correlationId"] for call in calls} == {first.data["correlationId"]}

    def test_callbacks_are_signed_with_a_key_that_is_published(self, ask: Ask, fresh: Sandbox) -> None:
        event = fresh.acs.incoming_call("+12065550111", "+14255550100")
        with receiving() as receiver:
            body = {"incomingCallContext": event.data["incomingCallContext"], "callbackUri": receiver.url}
            ask("POST", f"/calling/callConnections:answer?api-version={VERSIONS['calls']}", body)
            token = receiver.wait_for(1)[0].headers["authorization"].removeprefix("Bearer ")
        # Nobody has to sign in to read the configuration and the keys.
        place = f"{fresh.info.acs_endpoint}/calling/.well-known/acsopenidconfiguration"
        with requests.Session() as session:
            session.trust_env = False
            session.verify = fresh.info.ca_file
            configuration = session.get(place).json()
            keys = jwt.PyJWKSet.from_dict(session.get(configuration["jwks_uri"]).json())
        claims = jwt.decode(
            token,
            keys[jwt.get_unverified_header(token)["kid"]].key,
            algorithms=["RS256"],
            audience=fresh.acs.resource_id,
            issuer=configuration["issuer"],
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},  # by the sandbox's clock
        )
        assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize("wait", [None, "1"])
def test_a_429_from_outside_is_passed_on(ask: Ask, fresh: Sandbox, wait: str | None) -> None:
    headers = {"Retry-After": wait} if wait else {}
    fresh.faults.add("acs", Fault(status=429, headers=headers, path="emails:send"))
    assert ask("GET", NUMBERS).status_code == 200
    answer = ask("POST", SEND, mail(fresh))
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, wait)
    assert ask("POST", SEND, mail(fresh)).status_code == 202
