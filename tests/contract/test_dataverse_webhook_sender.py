"""What Dataverse's webhook sender posts, and what it does with the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.sandbox import Sandbox
from connector.sandbox.platform_rows import AVAILABLE, BUSY, BUSY_DND
from tests.contract.dataverse_side import Api, Inbox, listening, reset_options

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "webhooks"
DIALLED = "ec_EmergencyCallDialled"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start(agents=10) as sandbox:
        yield sandbox


@pytest.fixture
def api(running: Sandbox) -> Iterator[Api]:
    """With nothing registered and no disorder."""
    reset_options(running)
    sender, rows = running.dataverse.sender, running.dataverse.rows
    sender.duplicates = sender.reorder = sender.hold = False
    for table in ("sdkmessageprocessingstep", "serviceendpoint", "asyncoperation"):
        for values in list(rows.all(table)):
            rows.delete(table, values[f"{table}id"])
    api = Api(running)
    with api.session:
        yield api


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with listening() as inbox:
        yield inbox


def agent_of(running: Sandbox) -> str:
    return running.organisation.agent_ids[0]


def dial(api: Api, running: Sandbox, **more: Any) -> int:
    body = {"AgentId": agent_of(running), "DialledNumber": "911", "CallId": "call-1", **more}
    status = api("POST", DIALLED, body).status_code
    assert running.dataverse.sender.wait_until_idle()
    return status


def context(inbox: Inbox, index: int = 0) -> dict[str, Any]:
    return dict(json.loads(inbox.arrived[index][2]))


def pairs(collection: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["key"]: item["value"] for item in collection}


def target(body: dict[str, Any]) -> dict[str, Any]:
    return pairs(pairs(body["InputParameters"])["Target"]["Attributes"])


def sample(name: str) -> dict[str, Any]:
    if not SAMPLES.is_dir():
        pytest.skip(f"the recorded samples are not there: {SAMPLES}")
    return dict(json.loads((SAMPLES / name).read_text(encoding="utf-8")))


def shape(value: Any) -> Any:
    """A value without its contents: keys in order, types, the forms of dates and ids."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return {item["key"]: shape(item["value"]) for item in value} if value and "key" in value[0] else []
    if isinstance(value, str):
        if re.fullmatch(r"[0-9a-f-]{36}", value):
            return "id"
        date = re.fullmatch(r"/Date\(\d+([+-]\d{4})?\)/", value)
        return "date with offset" if date and date[1] else "date" if date else "text"
    return type(value).__name__


# --- a custom API --------------------------------------------------------------------------------------------------


def test_a_call_of_the_custom_api_reaches_the_receiver(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, headers={"X-Secret": "a&b<c"}, messages=[DIALLED])

    assert dial(api, running, Location="12 Main Street") == 204

    ((path, headers, _),) = inbox.arrived
    body = context(inbox)
    assert path == "/webhooks"
    assert headers["x-secret"] == "a&b<c"
    assert headers["x-ms-dynamics-organization"] == running.organisation.domain
    assert headers["x-ms-dynamics-request-name"] == DIALLED
    assert headers["x-ms-dynamics-entity-name"] == "none"
    assert headers["x-ms-correlation-request-id"] == body["CorrelationId"]
    assert body["MessageName"] == DIALLED
    assert pairs(body["InputParameters"]) == {
        "AgentId": agent_of(running),
        "DialledNumber": "911",
        "CallId": "call-1",
        "Location": "12 Main Street",
    }
    assert body["OrganizationId"] == running.organisation.organization_id
    assert (body["PrimaryEntityName"], len(body)) == ("none", 30)


@pytest.mark.parametrize(
    "body",
    [{"AgentId": "a"}, {"AgentId": "a", "DialledNumber": 911}, {"AgentId": "a", "DialledNumber": "911", "Other": "x"}],
)
def test_wrong_parameters_of_the_custom_api_are_refused(
    api: Api, running: Sandbox, inbox: Inbox, body: dict[str, Any]
) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])

    assert api("POST", DIALLED, body).status_code == 400
    assert running.dataverse.sender.wait_until_idle()
    assert inbox.arrived == []


def test_what_is_not_confirmed_can_be_set(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])
    options = running.dataverse.options
    options.global_api_table, options.global_api_id = "customapi", agent_of(running)

    dial(api, running)

    assert inbox.arrived[0][1]["x-ms-dynamics-entity-name"] == "customapi"
    assert context(inbox)["PrimaryEntityName"] == "customapi"
    assert context(inbox)["PrimaryEntityId"] == agent_of(running)


@pytest.mark.parametrize(
    ("secret", "path"),
    [({"code": "k/1 2"}, "/webhooks?code=k%2F1%202"), ({}, "/webhooks?code=")],
)
def test_a_webhook_key_travels_in_the_query(
    api: Api, running: Sandbox, inbox: Inbox, secret: dict[str, str], path: str
) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED], **secret)  # type: ignore[arg-type]

    dial(api, running)

    assert inbox.arrived[0][0] == path


def registered(api: Api, inbox: Inbox, **changes: Any) -> str:
    """Registers over the Web API as public registrars do; the step's id."""
    settings = '<settings><setting name="token" value="q"/></settings>'
    body = {"name": "Hook", "url": inbox.url, "contract": 8, "authtype": 6, "authvalue": settings, "messageformat": 2}
    endpoint = api("POST", "serviceendpoints", body, Prefer="return=representation").json()["serviceendpointid"]
    (message,) = api.rows("sdkmessages", "name eq 'Update'")
    wanted = f"primaryobjecttypecode eq 'msdyn_agentstatus' and _sdkmessageid_value eq {message['sdkmessageid']}"
    (filtered,) = api.rows("sdkmessagefilters", wanted)
    step = {
        "name": "Presence",
        "stage": 40,
        "mode": 1,
        "rank": 1,
        "supporteddeployment": 0,
        "filteringattributes": "msdyn_currentpresenceid",
        "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({endpoint})",
        "sdkmessageid@odata.bind": f"/sdkmessages({message['sdkmessageid']})",
        "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({filtered['sdkmessagefilterid']})",
        **changes,
    }
    return api.create("sdkmessageprocessingsteps", step)


def test_a_step_registered_over_the_api_runs_for_its_attributes_only(api: Api, running: Sandbox, inbox: Inbox) -> None:
    step = registered(api, inbox)
    status = api.rows("msdyn_agentstatuses", f"_msdyn_agentid_value eq {agent_of(running)}")[0]["msdyn_agentstatusid"]

    api("PATCH", f"msdyn_agentstatuses({status})", {"msdyn_assignedconversationcount": 1})
    bind = {"msdyn_currentpresenceid@odata.bind": f"/msdyn_presences({BUSY})"}
    api("PATCH", f"msdyn_agentstatuses({status})", bind)
    assert running.dataverse.sender.wait_until_idle()

    ((path, _, _),) = inbox.arrived
    assert path == "/webhooks?token=q"
    assert context(inbox)["OwningExtension"]["Id"] == step
    api("PATCH", f"sdkmessageprocessingsteps({step})", {"statecode": 1, "statuscode": 2})
    api("PATCH", f"msdyn_agentstatuses({status})", bind)
    assert running.dataverse.sender.wait_until_idle()
    assert len(inbox.arrived) == 1


def test_the_steps_of_an_endpoint_are_listed_and_go_with_it(api: Api, inbox: Inbox) -> None:
    step = registered(api, inbox)
    endpoint = api("GET", f"sdkmessageprocessingsteps({step})").json()["_eventhandler_value"]

    listed = api("GET", f"serviceendpoints({endpoint})/serviceendpoint_sdkmessageprocessingstep?$select=name").json()
    assert [row["name"] for row in listed["value"]] == ["Presence"]
    assert api("DELETE", f"serviceendpoints({endpoint})").status_code == 204
    assert api("GET", f"sdkmessageprocessingsteps({step})").status_code == 404


def test_a_custom_api_created_later_can_have_steps(api: Api, running: Sandbox, inbox: Inbox) -> None:
    body = {"uniquename": "ec_Test", "name": "Test", "bindingtype": 0, "allowedcustomprocessingsteptype": 1}
    key = api.create("customapis", body)
    parameter = {"uniquename": "Number", "name": "ec_Test.Number", "type": 7, "isoptional": True}
    api.create("customapirequestparameters", {**parameter, "CustomAPIId@odata.bind": f"/customapis({key})"})
    running.dataverse.register_webhook(inbox.url, messages=["ec_Test"])

    assert api("POST", "ec_Test", {"Number": 3}).status_code == 204
    assert running.dataverse.sender.wait_until_idle()

    assert pairs(context(inbox)["InputParameters"]) == {"Number": 3}
    assert api("DELETE", f"customapis({key})").status_code == 204
    assert api("POST", "ec_Test", {"Number": 3}).status_code == 404


@pytest.mark.parametrize(
    ("allowed", "mode", "status"), [(0, 1, 400), (1, 1, 204), (1, 0, 400), (2, 0, 204), (2, 1, 204)]
)
def test_a_custom_api_says_which_steps_it_allows(api: Api, allowed: int, mode: int, status: int) -> None:
    name = f"ec_Allows{allowed}{mode}"
    key = api.create("customapis", {"uniquename": name, "bindingtype": 0, "allowedcustomprocessingsteptype": allowed})
    (message,) = api.rows("sdkmessages", f"name eq '{name}'")
    step = {
        "name": name,
        "stage": 40,
        "mode": mode,
        "sdkmessageid@odata.bind": f"/sdkmessages({message['sdkmessageid']})",
    }

    assert api("POST", "sdkmessageprocessingsteps", step).status_code == status
    assert len(api.rows("sdkmessageprocessingsteps", f"name eq '{name}'")) == (status == 204)
    # It cannot be mended afterwards: the API must be made anew.
    other = {"allowedcustomprocessingsteptype": 2 - allowed // 2}
    assert api("PATCH", f"customapis({key})", other).status_code == 400
    assert api("PATCH", f"customapis({key})", {"displayname": "Other"}).status_code == 204


# --- the shapes of the recorded samples ----------------------------------------------------------------------------


def test_the_presence_payload_has_the_documented_shape(api: Api, running: Sandbox, inbox: Inbox) -> None:
    recorded = shape(sample("agentstatus-update-async.json"))
    running.dataverse.register_webhook(inbox.url, messages=["Update:msdyn_agentstatus"])

    running.dataverse.set_presence(agent_of(running), BUSY)
    assert running.dataverse.sender.wait_until_idle()
    ours = shape(context(inbox))

    attributes = recorded["InputParameters"]["Target"].pop("Attributes")
    mine = ours["InputParameters"]["Target"].pop("Attributes")
    # What the product adds of its own and no reader may need.
    assert attributes.keys() - mine.keys() == {"timezoneruleversionnumber"}
    assert {name: mine[name] for name in attributes if name in mine} == {
        name: part for name, part in attributes.items() if name in mine
    }
    inner = recorded["ParentContext"]["InputParameters"]["Target"].pop("Attributes")
    assert inner.keys() <= ours["ParentContext"]["InputParameters"]["Target"].pop("Attributes").keys()
    assert ours == recorded


def test_a_synchronous_payload_has_the_recorded_shape(api: Api, running: Sandbox, inbox: Inbox) -> None:
    recorded = shape(sample("account-update-sync-2018-shape.json"))
    running.dataverse.options.envelope_keys = 27
    running.dataverse.register_webhook(inbox.url, messages=["Update:systemuser"], synchronous=True)

    api("PATCH", f"systemusers({agent_of(running)})", {"title": "1111"})
    ours = shape(context(inbox))

    assert ours.keys() == recorded.keys()
    changing = {"InputParameters", "SharedVariables", "ParentContext", "OwningExtension"}
    assert {k: v for k, v in ours.items() if k not in changing} == {
        k: v for k, v in recorded.items() if k not in changing
    }
    assert ours["OwningExtension"] == recorded["OwningExtension"]
    assert ours["ParentContext"]["OwningExtension"] == recorded["ParentContext"]["OwningExtension"]
    assert "ChangedEntityTypes" in ours["ParentContext"]["SharedVariables"]
    assert next(iter(pairs(context(inbox)["InputParameters"])["Target"])) == "__type"


def test_what_tells_the_two_modes_apart(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, messages=["Create:bookableresource"], synchronous=True)
    running.dataverse.register_webhook(inbox.url, messages=["Create:bookableresource"])

    key = api.create("bookableresources", {"name": "R", "resourcetype": 1})
    assert running.dataverse.sender.wait_until_idle()
    synchronous, asynchronous = context(inbox, 0), context(inbox, 1)

    assert (synchronous["Mode"], synchronous["IsInTransaction"]) == (0, True)
    assert (asynchronous["Mode"], asynchronous["IsInTransaction"]) == (1, False)
    assert synchronous["OperationId"] == synchronous["RequestId"] == asynchronous["RequestId"]
    assert asynchronous["OperationId"] != asynchronous["RequestId"]
    assert synchronous["CorrelationId"] == asynchronous["CorrelationId"]
    assert synchronous["OwningExtension"]["Name"].startswith("Webhook")
    assert asynchronous["OwningExtension"]["Name"] is None
    assert synchronous["PostEntityImages"] == []
    image = pairs(asynchronous["PostEntityImages"])["AsynchronousStepPrimaryName"]
    assert "__type" not in image
    assert pairs(image["Attributes"]) == {"name": "R", "bookableresourceid": key}
    for body in (synchronous, asynchronous):
        assert pairs(body["OutputParameters"]) == {"id": key}
        assert pairs(body["InputParameters"])["Target"]["RowVersion"] is None
        assert target(body)["statecode"]["Value"] == 0
        assert "createdon" in target(body)
        assert "createdon" not in target(body["ParentContext"])


def test_a_deletion_names_its_row_only(api: Api, running: Sandbox, inbox: Inbox) -> None:
    key = api.create("bookableresources", {"name": "Gone", "resourcetype": 1})
    running.dataverse.register_webhook(inbox.url, messages=["Delete:bookableresource"])

    api("DELETE", f"bookableresources({key})")
    assert running.dataverse.sender.wait_until_idle()

    reference = pairs(context(inbox)["InputParameters"])["Target"]
    assert reference["__type"].startswith("EntityReference:")
    assert (reference["Id"], "Attributes" in reference) == (key, False)


@pytest.mark.parametrize(("minutes", "written"), [(0, "+0000"), (180, "+0300"), (-420, "-0700")])
def test_the_offset_of_asynchronous_times(api: Api, running: Sandbox, inbox: Inbox, minutes: int, written: str) -> None:
    running.dataverse.options.asynchronous_offset_minutes = minutes
    running.dataverse.register_webhook(inbox.url, messages=["Update:systemuser"])

    api("PATCH", f"systemusers({agent_of(running)})", {"title": "x"})
    assert running.dataverse.sender.wait_until_idle()

    body = context(inbox)
    time = re.fullmatch(r"/Date\((\d+)([+-]\d{4})\)/", body["OperationCreatedOn"])
    assert time is not None
    assert time[2] == written
    modified = int(re.findall(r"\d+", target(body)["modifiedon"])[0])
    # UTC is milliseconds plus offset, as in the captures.
    assert 0 <= int(time[1]) + minutes * 60_000 - modified < 2000


@pytest.mark.parametrize(
    ("escaped", "date", "kind"),
    [("dates", rb"\/Date(", b"http://"), ("all", rb"\/Date(", rb"http:\/\/"), ("none", b'"/Date(', b"http://")],
)
def test_slashes_are_written_as_asked(
    api: Api, running: Sandbox, inbox: Inbox, escaped: str, date: bytes, kind: bytes
) -> None:
    running.dataverse.options.escaped_slashes = escaped
    running.dataverse.register_webhook(inbox.url, messages=["Update:systemuser"])

    api("PATCH", f"systemusers({agent_of(running)})", {"title": "x"})
    assert running.dataverse.sender.wait_until_idle()

    assert date in inbox.arrived[0][2]
    assert kind in inbox.arrived[0][2]


def test_a_large_payload_loses_four_properties(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])

    dial(api, running, Location="x" * 100_000)
    dial(api, running, Location="x" * 140_000)

    whole, small = context(inbox, 0), context(inbox, 1)
    assert "x-ms-dynamics-msg-size-exceeded" not in inbox.arrived[0][1]
    assert inbox.arrived[1][1]["x-ms-dynamics-msg-size-exceeded"] == "true"
    assert whole.keys() - small.keys() == {
        "ParentContext",
        "InputParameters",
        "PreEntityImages",
        "PostEntityImages",
    }


# --- answers of the receiver ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "attempts", "outcome"),
    [
        ([204], 1, 30),
        ([503, 200], 2, 30),
        ([502, 504], 2, 31),
        ([504, 500], 2, 31),
        ([500], 1, 31),
        ([429], 1, 31),
        ([401], 1, 31),
        ([301], 1, 31),
    ],
)
def test_attempts_of_asynchronous_steps(
    api: Api, running: Sandbox, inbox: Inbox, statuses: list[int], attempts: int, outcome: int
) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])
    inbox.statuses = statuses

    assert dial(api, running) == 204

    assert len(inbox.arrived) == attempts
    (job,) = api.rows("asyncoperations")
    assert (job["statuscode"], job["retrycount"]) == (outcome, attempts - 1)
    assert job["asyncoperationid"] == context(inbox)["OperationId"]
    failed = api.rows(
        "asyncoperations", f"statuscode eq 31 and _owningextensionid_value eq {job['_owningextensionid_value']}"
    )
    assert bool(failed) == (outcome == 31)


@pytest.mark.parametrize("same", [True, False])
def test_whether_the_second_attempt_repeats_its_id_can_be_set(
    api: Api, running: Sandbox, inbox: Inbox, same: bool
) -> None:
    running.dataverse.options.same_operation_on_retry = same
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])
    inbox.statuses = [503]

    dial(api, running)

    assert (context(inbox, 0)["OperationId"] == context(inbox, 1)["OperationId"]) is same


def test_a_receiver_that_is_not_there_fails_the_job(api: Api, running: Sandbox) -> None:
    running.dataverse.register_webhook("http://127.0.0.1:9/webhooks", messages=[DIALLED])

    assert dial(api, running) == 204

    (job,) = api.rows("asyncoperations")
    assert job["statuscode"] == 31
    assert job["message"].startswith("The webhook call failed")


def test_a_failing_synchronous_step_rolls_the_write_back(api: Api, running: Sandbox, inbox: Inbox) -> None:
    agent = agent_of(running)
    before = api("GET", f"systemusers({agent})").json()["title"]
    running.dataverse.register_webhook(inbox.url, messages=["Update:systemuser"], synchronous=True)
    inbox.statuses = [500]

    refused = api("PATCH", f"systemusers({agent})", {"title": "not kept"})

    assert refused.status_code == 400
    assert "500" in refused.json()["error"]["message"]
    assert api("GET", f"systemusers({agent})").json()["title"] == before
    assert api("PATCH", f"systemusers({agent})", {"title": "kept"}).status_code == 204
    assert api("GET", f"systemusers({agent})").json()["title"] == "kept"
    assert api.rows("asyncoperations") == []


def test_rolled_back_creations_and_deletions_leave_no_trace(api: Api, running: Sandbox, inbox: Inbox) -> None:
    kept = api.create("bookableresources", {"name": "Stays", "resourcetype": 1})
    messages = ["Create:bookableresource", "Delete:bookableresource"]
    running.dataverse.register_webhook(inbox.url, messages=messages, synchronous=True)
    running.dataverse.register_webhook(inbox.url, messages=messages)
    running.dataverse.options.roll_back_after_webhook = True

    assert api("POST", "bookableresources", {"name": "Never", "resourcetype": 1}).status_code == 400
    assert api("DELETE", f"bookableresources({kept})").status_code == 400
    assert running.dataverse.sender.wait_until_idle()

    assert api.rows("bookableresources", "name eq 'Never'") == []
    assert api("GET", f"bookableresources({kept})").status_code == 200
    # The synchronous ones were told of what never was; the asynchronous ones run only after a commit.
    assert len(inbox.arrived) == 2


# --- disorder ------------------------------------------------------------------------------------------------------


def calls(inbox: Inbox) -> list[str]:
    return [pairs(context(inbox, index)["InputParameters"])["CallId"] for index in range(len(inbox.arrived))]


def test_duplicates(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])
    running.dataverse.sender.duplicates = True

    dial(api, running)

    assert calls(inbox) == ["call-1", "call-1"]
    assert inbox.arrived[0][2] == inbox.arrived[1][2]
    assert len(api.rows("asyncoperations")) == 1


def test_reordering(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])
    running.dataverse.sender.reorder = True

    for number in range(3):
        dial(api, running, CallId=f"call {number}")
    assert calls(inbox) == ["call 1", "call 0"]
    running.dataverse.sender.release()
    assert running.dataverse.sender.wait_until_idle()

    assert calls(inbox) == ["call 1", "call 0", "call 2"]


def test_holding_back(api: Api, running: Sandbox, inbox: Inbox) -> None:
    running.dataverse.register_webhook(inbox.url, messages=[DIALLED])
    running.dataverse.sender.hold = True

    dial(api, running)
    assert inbox.arrived == []
    running.dataverse.sender.release()
    assert running.dataverse.sender.wait_until_idle()

    assert calls(inbox) == ["call-1"]


def test_a_context_can_be_had_without_sending(running: Sandbox) -> None:
    reset_options(running)

    body = running.dataverse.build_context(DIALLED, {"AgentId": "a", "DialledNumber": "112"}, synchronous=True)

    assert pairs(body["InputParameters"]) == {"AgentId": "a", "DialledNumber": "112"}
    assert (body["Mode"], body["OperationId"]) == (0, body["RequestId"])
    columns = {"_msdyn_currentpresenceid_value": AVAILABLE}
    other = running.dataverse.build_context("Update", columns, table="msdyn_agentstatus", row_id=BUSY_DND)
    assert target(other)["msdyn_currentpresenceid"]["LogicalName"] == "msdyn_presence"
    assert other["PrimaryEntityId"] == BUSY_DND
