"""An emergency call over real HTTP against the stand-ins: every step, every corner of the design."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from connector.assembly import Connector
from connector.calls.effects import ReadAnnouncement
from connector.sandbox import Sandbox
from connector.sandbox.acs.email import Mail
from connector.sandbox.faults import Fault
from connector.sandbox.platform_rows import AVAILABLE, AWAY
from connector.store import calls
from tests.integration.stage import DRILLS, FALLBACK, IDENTITY, OTHER_SECRET, SECRET, Stage, chosen, staged, until


def told(mails: list[Mail]) -> list[str]:
    return sorted(address for mail in mails for address in mail.recipients)


def text(mail: Mail) -> str:
    return str(mail.message["content"]["plainText"])


def test_the_eight_steps(stage: Stage) -> None:
    agent = stage.agents()[0]
    before = stage.presence(agent)
    stage.sandbox.event_grid.subscribe(f"{stage.url}/webhooks/eventgrid?code={SECRET}")
    answer = stage.dial(agent, Location="Room 411")
    stage.settle()
    assert stage.presence(agent) == "Busy DND"
    (mail,) = stage.mails
    assert told(stage.mails) == sorted(agent.recipients)
    assert answer["callback_number"] in text(mail)
    assert "Room 411" in text(mail)
    assert answer["panel"]["controls"] == ["device_settings", "end_call"]
    assert answer["panel"]["hidden"] == ["save", "refresh"]

    stage.sandbox.acs.incoming_call("+12025550199", answer["callback_number"])
    until(lambda: stage.sandbox.acs.redirects)
    assert [redirect.target for redirect in stage.sandbox.acs.redirects] == [IDENTITY]

    ended = stage.hang_up(agent)
    stage.settle()
    assert ended["panel"]["controls"] == []
    assert stage.presence(agent) == before
    stage.pass_time(61)
    assert stage.state(agent) is None


def test_ten_deliveries_at_once_are_one_call(stage: Stage) -> None:
    agent = stage.agents()[0]
    answers: list[dict[str, object]] = []
    threads = [threading.Thread(target=lambda: answers.append(stage.dial(agent))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stage.settle()
    assert len(answers) == 10
    assert len({str(answer["call_id"]) for answer in answers}) == 1
    assert len({str(answer["callback_number"]) for answer in answers}) == 1
    assert len(stage.mails) == 1
    assert stage.presence_changes() == 1


def test_a_delivery_hours_late_wakes_nothing(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.dial(agent)
    stage.hang_up(agent)
    stage.settle()
    stage.pass_time(61)
    stage.dial(agent)
    stage.hang_up(agent)
    stage.settle()
    assert stage.state(agent) is None
    assert len(stage.mails) == 1


def test_synchronous_and_asynchronous_webhooks_of_one_dial_are_one_call(stage: Stage) -> None:
    agent = stage.agents()[0]
    parameters = {"AgentId": agent.id, "DialledNumber": "911", "CallId": stage.key("one")}
    for synchronous in (True, False):
        body = stage.sandbox.dataverse.build_context("ec_EmergencyCallDialled", parameters, synchronous=synchronous)
        assert stage.post(body).status_code == 200
    stage.settle()
    assert len(stage.mails) == 1


def test_an_agents_own_choice_stands(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.dial(agent)
    stage.settle()
    stage.sandbox.dataverse.set_presence(agent.id, AWAY)
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Away"
    stage.sandbox.dataverse.set_presence(agent.id, AVAILABLE)


def test_two_calls_restore_after_the_last(stage: Stage) -> None:
    agent = stage.agents()[0]
    before = stage.presence(agent)
    first, second = stage.dial(agent, "one"), stage.dial(agent, "two")
    stage.settle()
    assert first["callback_number"] == second["callback_number"]
    stage.hang_up(agent, "one")
    stage.settle()
    assert stage.presence(agent) == "Busy DND"
    stage.hang_up(agent, "two")
    stage.settle()
    assert stage.presence(agent) == before


def test_end_before_start(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.hang_up(agent)
    stage.dial(agent)
    stage.settle()
    assert told(stage.mails) == sorted(agent.recipients)
    assert stage.presence_changes() == 0


def test_the_guardian_restores_presence(stage: Stage) -> None:
    agent = stage.agents()[0]
    before = stage.presence(agent)
    answer = stage.dial(agent)
    stage.settle()
    stage.pass_time(241)
    until(lambda: stage.presence(agent) == before)
    assert stage.metric('emergency_decisions_total{decision="closed_by_guardian"}') >= 1
    stage.pass_time(30)
    assert stage.state(agent) is None
    panel = requests.get(
        f"{stage.url}/api/v1/calls/{answer['call_id']}/panel", headers={"x-emergency-secret": SECRET}, timeout=10
    )
    assert panel.status_code == 404


def test_dataverse_down_does_not_hold_the_message(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.faults.set_outage("dataverse")
    stage.dial(agent)
    until(lambda: stage.mails)
    assert told(stage.mails) == sorted(agent.recipients)
    stage.sandbox.faults.set_outage("dataverse", None)
    stage.pass_time(1)
    until(lambda: stage.presence(agent) == "Busy DND")
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Available", "remembered from the last sync"


def test_an_agent_who_hung_up_meanwhile_is_left_alone(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.faults.set_outage("dataverse")
    stage.dial(agent)
    until(lambda: stage.presence_changes() >= 1)
    stage.settle()
    stage.hang_up(agent)
    stage.settle()
    stage.sandbox.faults.set_outage("dataverse", None)
    stage.sandbox.faults.clear_log()
    stage.pass_time(1)
    assert stage.presence_changes() == 0


def test_a_busy_mail_service_is_asked_again_under_the_same_id(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.faults.add("acs", Fault(status=429, headers={"Retry-After": "1"}, path="emails:send", times=1))
    stage.dial(agent)
    until(lambda: any("emails:send" in seen.target for seen in stage.sandbox.faults.log("acs")))
    assert stage.mails == []
    stage.clock.advance(1)
    until(lambda: stage.mails)
    operations = {
        dict(seen.headers)["operation-id"] for seen in stage.sandbox.faults.log("acs") if "emails:send" in seen.target
    }
    assert len(operations) == 1


def test_an_answer_lost_on_the_way_is_no_second_message(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.faults.add("acs", Fault(cut="after", path="emails:send", times=1))
    stage.dial(agent)
    until(lambda: stage.mails)
    until(lambda: stage.metric('emergency_effects_total{kind="notify",outcome="again"}') >= 1)
    stage.pass_time(0.1)
    stage.settle()
    assert len(stage.mails) == 1
    assert stage.mails[0].requests == 2


def test_a_refused_repetition_counts_as_sent(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.acs.options.change({"email_repeat": "reject"})
    try:
        stage.sandbox.faults.add("acs", Fault(cut="after", path="emails:send", times=1))
        stage.dial(agent)
        until(lambda: stage.mails)
        stage.pass_time(0.1)
        stage.settle()
        assert len(stage.mails) == 1
        assert stage.metric('emergency_decisions_total{decision="notice_lost"}') == 0
    finally:
        stage.sandbox.acs.options.change({"email_repeat": "same"})


def test_the_second_channel_sends_when_the_first_is_down(stage: Stage) -> None:
    agent = stage.agents()[0]
    rows = stage.sandbox.dataverse.rows
    stage.sandbox.faults.set_outage("acs")
    stage.dial(agent)
    until(lambda: stage.metric('emergency_effects_total{kind="notify",outcome="again"}') >= 1)
    stage.clock.advance(31)
    until(lambda: any(True for _ in rows.all("email")))
    until(lambda: stage.metric('emergency_effects_total{kind="send_from_mailbox",outcome="done"}') >= 1)
    (mail,) = rows.all("email")
    assert mail["statuscode"] == 3, "it has left the mailbox"
    stage.sandbox.faults.set_outage("acs", None)
    stage.hang_up(agent)
    stage.settle()
    stage.pass_time(11)
    assert list(rows.all("email")) == [], "no history is kept in Dataverse either"
    assert stage.mails == [], "one message a recipient"


def test_no_number_free_is_told_and_made_good(sandbox: Sandbox, tmp_path: Path) -> None:
    number = next(
        own["phoneNumber"] for own in reversed(sandbox.organisation.acs_numbers) if own["countryCode"] == "US"
    )
    with staged(sandbox, tmp_path, callback_numbers=number) as stage:
        first, second = stage.agents()[:2]
        assert stage.dial(first)["callback_number"] == number
        assert stage.dial(second)["callback_number"] is None
        stage.settle()
        waiting = next(mail for mail in stage.mails if told([mail]) == sorted(second.recipients))
        assert "none free" in text(waiting)
        assert str(second.number) in text(waiting)
        stage.hang_up(first)
        stage.clock.advance(59 * 60)
        stage.dial(second, "redial")
        stage.pass_time(2)
        until(lambda: len(stage.mails) == 4)
        assert number in text(stage.mails[-1])
        assert "Callback number now available" in stage.mails[-1].subject
        state = stage.state(second)
        assert state is not None
        assert state.lease is not None
        assert state.lease.number == number


def test_an_agent_new_since_the_last_sync_is_fetched(stage: Stage) -> None:
    agent = stage.agents()[0]
    new = "0f0f0f0f-0000-4000-8000-00000000e001"
    row = stage.sandbox.dataverse.rows.get("systemuser", agent.id)
    assert row is not None
    stage.sandbox.dataverse.rows.insert("systemuser", {**row.values, "systemuserid": new, "fullname": "Newly Hired"})
    stage.announce("ec_EmergencyCallDialled", {"AgentId": new, "DialledNumber": "911", "CallId": stage.key("new")})
    until(lambda: stage.mails)
    assert told(stage.mails) == sorted(agent.recipients)
    assert "Newly Hired" in text(stage.mails[0])
    stage.sandbox.dataverse.rows.delete("systemuser", new)


def test_an_agent_nobody_knows_alarms_the_fallback_recipients(stage: Stage) -> None:
    stage.sandbox.faults.set_outage("dataverse")
    nobody = "0f0f0f0f-0000-4000-8000-00000000e002"
    answer = stage.announce(
        "ec_EmergencyCallDialled", {"AgentId": nobody, "DialledNumber": "911", "CallId": stage.key("x")}
    )
    assert answer.status_code == 200
    until(lambda: stage.mails)
    assert told(stage.mails) == [FALLBACK]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"AgentId": "not a guid", "DialledNumber": "911"},
        {"DialledNumber": "911", "CallId": "x", "Location": "Room 5"},
    ],
)
def test_an_announcement_that_cannot_be_read_still_alarms(stage: Stage, parameters: dict[str, str]) -> None:
    answer = stage.announce("ec_EmergencyCallDialled", parameters)
    assert answer.status_code == 200
    until(lambda: stage.mails)
    assert told(stage.mails) == [FALLBACK]
    assert parameters.get("Location", "unknown") in text(stage.mails[0])
    stage.settle()
    stage.pass_time(61)
    with stage.connector.store.read() as connection:
        assert connection.exec_driver_sql("select count(*) from calls").scalar() == 0


def test_an_agent_without_recipients_falls_back(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=None)
    try:
        stage.connector.sync()
        stage.dial(agent)
        until(lambda: stage.mails)
        assert told(stage.mails) == [FALLBACK]
    finally:
        stage.sandbox.dataverse.change(
            "systemuser", agent.id, msdyn_emergencyemailrecipients="; ".join(agent.recipients)
        )


def test_a_drill_tells_the_drill_recipients_only(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.dial(agent, DialledNumber="933")
    until(lambda: stage.mails)
    assert told(stage.mails) == [DRILLS]
    assert stage.mails[0].subject.startswith("[Drill]")


def test_a_call_that_is_no_emergency_is_ignored(stage: Stage) -> None:
    agent = stage.agents()[0]
    answer = stage.announce("ec_EmergencyCallDialled", {"AgentId": agent.id, "DialledNumber": "+12025550147"})
    assert answer.json()["status"] == "ignored"
    assert stage.state(agent) is None


def test_hundred_and_twenty_recipients_are_three_messages(stage: Stage) -> None:
    agent = stage.agents()[0]
    many = [f"lead{number}@example.com" for number in range(120)]
    stage.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients="; ".join(many))
    try:
        stage.connector.sync()
        stage.dial(agent)
        stage.settle()
        assert sorted(len(mail.recipients) for mail in stage.mails) == [20, 50, 50]
        assert told(stage.mails) == sorted(many)
    finally:
        stage.sandbox.dataverse.change(
            "systemuser", agent.id, msdyn_emergencyemailrecipients="; ".join(agent.recipients)
        )


def test_an_oversized_context_is_read_again_from_its_row(stage: Stage) -> None:
    agent = stage.agents()[0]
    row_id = "0f0f0f0f-0000-4000-8000-00000000e003"
    columns = {"ec_agentid": agent.id, "ec_diallednumber": "911", "ec_location": "Hall 7"}
    stage.sandbox.dataverse.rows.insert("ec_emergencycall", {"ec_emergencycallid": row_id, **columns})
    body = stage.sandbox.dataverse.build_context("Create", columns, table="ec_emergencycall", row_id=row_id)
    for stripped in ("ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages"):
        body.pop(stripped)
    assert stage.post(body, headers={"x-ms-dynamics-msg-size-exceeded": "true"}).status_code == 200
    until(lambda: stage.mails)
    assert told(stage.mails) == sorted(agent.recipients)
    assert "Hall 7" in text(stage.mails[0])
    stage.sandbox.dataverse.rows.delete("ec_emergencycall", row_id)


def test_an_oversized_context_whose_row_cannot_be_read_alarms(stage: Stage) -> None:
    row_id = "0f0f0f0f-0000-4000-8000-00000000e004"
    body = stage.sandbox.dataverse.build_context("Create", {}, table="ec_emergencycall", row_id=row_id)
    body.pop("InputParameters")
    assert stage.post(body, headers={"x-ms-dynamics-msg-size-exceeded": "true"}).status_code == 200
    until(lambda: stage.mails)
    assert told(stage.mails) == [FALLBACK]


@pytest.mark.parametrize("message", ["", "Create"])
def test_an_announcement_whose_mapping_is_gone_after_a_restart_alarms(stage: Stage, message: str) -> None:
    until_then = stage.clock.now() + timedelta(seconds=15)
    gone = ReadAnnouncement(str(uuid.uuid4()), "dialled", "ec_renamed", str(uuid.uuid4()), until_then, message)
    stage.connector.handler.ask([gone], "")
    until(lambda: stage.mails)
    assert told(stage.mails) == [FALLBACK]


def test_a_row_announces_a_call_and_its_end(stage: Stage) -> None:
    agent = stage.agents()[0]
    row_id = "0f0f0f0f-0000-4000-8000-00000000e005"
    build = stage.sandbox.dataverse.build_context
    columns = {"ec_agentid": agent.id, "ec_diallednumber": "911"}
    answer = stage.post(build("Create", columns, table="ec_emergencycall", row_id=row_id)).json()
    stage.settle()
    no_news = stage.post(build("Update", {"ec_name": "x"}, table="ec_emergencycall", row_id=row_id)).json()
    assert no_news["status"] == "ignored"
    # An update's target holds only what was changed, so the agent has to be read from the row.
    over = {"ec_endedon": "2026-03-02T10:00:00Z"}
    rows = stage.sandbox.dataverse.rows
    rows.insert("ec_emergencycall", {"ec_emergencycallid": row_id, "ec_agentid": agent.id, **over})
    assert stage.post(build("Update", over, table="ec_emergencycall", row_id=row_id)).json()["status"] == "accepted"
    until(lambda: (state := stage.state(agent)) is not None and not state.open_calls)
    state = stage.state(agent)
    assert state is not None
    assert [call.id for call in state.calls] == [answer["call_id"]]
    stage.settle()
    assert stage.presence(agent) == "Available"
    rows.delete("ec_emergencycall", row_id)


def test_an_oversized_update_that_ends_nothing_ends_nothing(stage: Stage) -> None:
    agent = stage.agents()[0]
    row_id = "0f0f0f0f-0000-4000-8000-00000000e006"
    build = stage.sandbox.dataverse.build_context
    columns = {"ec_agentid": agent.id, "ec_diallednumber": "911"}
    stage.post(build("Create", columns, table="ec_emergencycall", row_id=row_id))
    stage.settle()
    stage.sandbox.dataverse.rows.insert("ec_emergencycall", {"ec_emergencycallid": row_id, **columns})
    body = build("Update", {"ec_name": "x"}, table="ec_emergencycall", row_id=row_id)
    body.pop("InputParameters")
    stage.post(body, headers={"x-ms-dynamics-msg-size-exceeded": "true"})
    stage.settle()
    state = stage.state(agent)
    assert state is not None
    assert state.open_calls
    stage.sandbox.dataverse.rows.delete("ec_emergencycall", row_id)


def test_an_oversized_announcement_alarms_though_dataverse_stays_away(stage: Stage) -> None:
    row_id = "0f0f0f0f-0000-4000-8000-00000000e007"
    stage.sandbox.faults.set_outage("dataverse", "unavailable")
    body = stage.sandbox.dataverse.build_context("Create", {}, table="ec_emergencycall", row_id=row_id)
    body.pop("InputParameters")
    stage.post(body, headers={"x-ms-dynamics-msg-size-exceeded": "true"})
    stage.settle()
    assert stage.mails == [], "it may come back"
    stage.clock.advance(16)
    until(lambda: stage.mails)
    assert told(stage.mails) == [FALLBACK]


def test_the_channels_take_turns_until_one_is_back(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.faults.set_outage("acs", "unavailable")
    stage.sandbox.faults.set_outage("dataverse", "unavailable")
    stage.dial(agent)
    stage.settle()
    for _ in range(4):
        stage.clock.advance(31)
        stage.settle()
    stage.sandbox.faults.set_outage("acs", None)
    for _ in range(3):
        stage.clock.advance(31)
        stage.settle()
    assert told(stage.mails) == sorted(agent.recipients)
    assert len(stage.mails) == 1


def test_a_call_id_that_is_used_again_later_is_a_new_call(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.dial(agent)
    stage.hang_up(agent)
    stage.settle()
    stage.pass_time(61)
    assert stage.state(agent) is None
    later = stage.clock.now().isoformat()
    first = stage.dial(agent, DialledOn=later, DialledNumber="112")
    again = stage.dial(agent, DialledOn=later, DialledNumber="112")
    stage.settle()
    assert len(stage.mails) == 2
    assert first["call_id"] == again["call_id"]
    state = stage.state(agent)
    assert state is not None
    assert len(state.calls) == 1


def test_an_outside_line_before_the_number_does_not_hide_it(stage: Stage) -> None:
    agent = stage.agents()[0]
    assert stage.dial(agent, DialledNumber="9,911")["status"] == "accepted"


def test_presence_that_could_not_be_read_at_first_is_restored_as_it_really_was(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.dataverse.set_presence(agent.id, AWAY)
    stage.sandbox.faults.set_outage("dataverse", "unavailable")
    stage.dial(agent)
    until(lambda: stage.presence_changes() >= 1)
    stage.settle()
    stage.sandbox.faults.set_outage("dataverse", None)
    stage.pass_time(0.1)
    until(lambda: stage.presence(agent) == "Busy DND")
    stage.settle()
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Away", "not what the last sync had seen"


def test_a_number_that_is_bought_meanwhile_goes_to_who_waits(sandbox: Sandbox, tmp_path: Path) -> None:
    owned = sandbox.acs.numbers.inventory.owned
    number = next(n for n in (f"+120255501{last:02}" for last in range(100)) if n not in owned)
    with staged(sandbox, tmp_path, callback_numbers=number) as stage:
        agent = stage.agents()[0]
        assert stage.dial(agent)["callback_number"] is None
        stage.settle()
        bought = {**next(iter(owned.values())), "id": number[1:], "phoneNumber": number, "countryCode": "US"}
        bought["capabilities"] = {"calling": "inbound+outbound", "sms": "none"}
        owned[number] = bought
        stage.connector.sync_numbers()
        until(lambda: len(stage.mails) == 2)
        assert number in text(stage.mails[-1])
        del owned[number]


def test_customers_lines_are_not_leased_while_it_is_not_known_which_they_are(sandbox: Sandbox, tmp_path: Path) -> None:
    with staged(sandbox, tmp_path) as stage:
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        unread = chosen(sandbox, f"sqlite:///{fresh}/calls.db", fresh)
        with Connector(unread) as connector:
            connector.sync_numbers()
            with connector.store.read() as connection:
                assert calls.pool_size(connection) == {}
        assert stage.metric('emergency_decisions_total{decision="pool_not_filled"}') >= 1


def test_a_soft_phone_announces_and_ends_over_the_api(stage: Stage) -> None:
    agent = stage.agents("GB")[0]
    call = {"agent_id": agent.id, "dialled": "999", "call_key": stage.key("phone-1"), "location": "Room 3"}
    made = stage.post(call, "/api/v1/calls", headers={"x-emergency-secret": OTHER_SECRET})
    assert made.status_code == 201
    again = stage.post(call, "/api/v1/calls")
    assert again.json()["call_id"] == made.json()["call_id"]
    assert made.json()["callback_number"].startswith("+44")
    stage.settle()
    assert len(stage.mails) == 1
    ended = stage.post({}, f"/api/v1/calls/{made.json()['call_id']}/end")
    assert ended.json()["panel"]["emergency"] is False
    stage.settle()
    assert stage.presence(agent) == "Available"


def test_delivery_reports_are_counted(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.event_grid.subscribe(f"{stage.url}/webhooks/eventgrid?code={SECRET}")
    stage.dial(agent)
    before = stage.metric("emergency_delivery_reports_total")
    until(lambda: stage.mails)
    # Once the message is answered, its reports stand in the queue, with a time by the clock that is moved now.
    stage.settle()
    stage.sandbox.clock.advance(60)
    until(lambda: stage.metric("emergency_delivery_reports_total") >= before + len(agent.recipients))


def test_without_directory_routing_a_callback_goes_to_the_agents_number(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.event_grid.subscribe(f"{stage.url}/webhooks/eventgrid?code={SECRET}")
    answer = stage.dial(agent, AgentIdentity="")
    stage.sandbox.acs.incoming_call("+12025550199", answer["callback_number"])
    until(lambda: stage.sandbox.acs.redirects)
    assert [redirect.target for redirect in stage.sandbox.acs.redirects] == [agent.number]


def test_a_call_to_a_number_that_is_not_leased_is_left_alone(stage: Stage) -> None:
    agent = stage.agents()[0]
    stage.sandbox.event_grid.subscribe(f"{stage.url}/webhooks/eventgrid?code={SECRET}")
    answer = stage.dial(agent)
    free = next(
        own["phoneNumber"]
        for own in reversed(stage.sandbox.organisation.acs_numbers)
        if own["phoneNumber"] != answer["callback_number"]
    )
    stage.sandbox.acs.incoming_call("+12025550199", free)
    until(lambda: stage.metric('emergency_deliveries_total{outcome="call_not_ours"') >= 1)
    assert stage.sandbox.acs.redirects == []
