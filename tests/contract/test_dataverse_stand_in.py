"""What the Dataverse stand-in must imitate beyond what the official client uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from connector.clock import MovableClock
from connector.sandbox import Sandbox
from connector.sandbox.agents import Defect
from connector.sandbox.dataverse import Dataverse, Rights
from connector.sandbox.dataverse.errors import WebApiError
from connector.sandbox.dataverse.filters import compile_filter
from connector.sandbox.dataverse.rows import Rows
from connector.sandbox.dataverse.tables import TABLES
from connector.sandbox.entra import Tokens
from connector.sandbox.organisation import Organisation
from connector.sandbox.platform_rows import BUSY_DND, TEMPLATE_TITLE
from tests.contract.dataverse_side import Api, plain_session, reset_options

PROFILES = "msdyn_capacityprofiles"
NOBODY = "00000000-0000-0000-0000-00000000dead"
TRACK = "odata.track-changes,odata.maxpagesize=40"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start(agents=60) as sandbox:
        yield sandbox


@pytest.fixture
def api(running: Sandbox) -> Iterator[Api]:
    reset_options(running)
    api = Api(running)
    with api.session:
        yield api


def refusal(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# --- answers -------------------------------------------------------------------------------------------------------


def test_answers_carry_the_headers_that_clients_read(api: Api) -> None:
    answer = api("GET", "systemusers?$select=fullname&$top=1")

    assert answer.headers["Content-Type"] == "application/json; odata.metadata=minimal"
    assert answer.headers["OData-Version"] == "4.0"
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-ms-service-request-id"])
    assert int(answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"]) < 6000
    (row,) = answer.json()["value"]
    assert re.fullmatch(r'W/"\d+"', row["@odata.etag"])
    assert row.keys() == {"@odata.etag", "fullname", "systemuserid"}


def test_nulls_and_lookups_are_present(api: Api, running: Sandbox) -> None:
    key = running.organisation.application_user_id

    row = api("GET", f"systemusers({key})").json()

    assert row["_defaultmailbox_value"] is None
    assert "defaultmailbox" not in row
    assert api("GET", f"systemusers(applicationid={key})").status_code == 400
    object_id = row["azureactivedirectoryobjectid"]
    assert api("GET", f"systemusers(azureactivedirectoryobjectid={object_id})").json()["systemuserid"] == key


def test_annotations_come_only_when_asked_for(api: Api) -> None:
    path = "msdyn_agentstatuses?$select=_msdyn_agentid_value,statecode&$top=1"
    formatted = "@OData.Community.Display.V1.FormattedValue"

    (plain,) = api("GET", path).json()["value"]
    (annotated,) = api("GET", path, Prefer='odata.include-annotations="*"').json()["value"]

    assert not [name for name in plain if formatted in name]
    assert annotated[f"statecode{formatted}"] == "Active"
    assert annotated["_msdyn_agentid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"
    assert annotated[f"_msdyn_agentid_value{formatted}"]


def test_pages_follow_each_other_and_each_row_comes_once(api: Api, running: Sandbox) -> None:
    url: str | None = "systemusers?$select=systemuserid&$count=true"
    seen: list[str] = []
    while url:
        page = api("GET", url, Prefer="odata.maxpagesize=13").json()
        seen += [row["systemuserid"] for row in page["value"]]
        assert page["@odata.count"] == len(running.organisation.tables["systemuser"])
        url = page.get("@odata.nextLink")
        assert url is None or (url.startswith("https://") and "%3Ccookie" in url)

    assert sorted(seen) == sorted(row["systemuserid"] for row in running.organisation.tables["systemuser"])


def test_top_counts_only_without_a_page_size(api: Api) -> None:
    with_both = api("GET", "systemusers?$select=fullname&$top=3", Prefer="odata.maxpagesize=10").json()

    assert len(with_both["value"]) == 10
    assert len(api("GET", "systemusers?$select=fullname&$top=3").json()["value"]) == 3


def test_a_page_never_exceeds_the_cap(api: Api, running: Sandbox) -> None:
    running.dataverse.options.page_size = 5

    assert len(api("GET", "systemusers?$select=fullname", Prefer="odata.maxpagesize=50").json()["value"]) == 5


def test_the_repeating_link_is_a_fault_to_test_loop_guards_with(api: Api, running: Sandbox) -> None:
    running.dataverse.options.repeat_next_link = True

    first = api("GET", "systemusers?$select=fullname", Prefer="odata.maxpagesize=5").json()
    second = api("GET", first["@odata.nextLink"], Prefer="odata.maxpagesize=5").json()

    assert second["@odata.nextLink"] == first["@odata.nextLink"]


@pytest.mark.parametrize(
    "query",
    [
        "$skip=5",
        "$select=nothing",
        "$filter=nothing eq 1",
        "$filter=fullname eq 3",
        "$filter=isdisabled eq",
        "$filter=fullname/x eq 'a'",
        "$orderby=nothing",
        "$expand=userid",
        "$top=many",
        "$skiptoken=nonsense",
    ],
)
def test_what_cannot_be_read_is_a_400(api: Api, query: str) -> None:
    assert refusal(api("GET", f"systemusers?{query}")) == (400, "0x80060888")


def test_unknown_addresses_and_methods(api: Api) -> None:
    assert api("GET", "nothing").status_code == 404
    assert refusal(api("GET", f"systemusers({NOBODY})")) == (404, "0x80040217")
    assert api("PUT", "systemusers").status_code == 405
    assert api("GET", "CCaaS_ModifyAgentPresence").status_code == 405
    assert api("POST", "BulkDelete", {}).status_code == 501


# --- tokens, privileges, limits ------------------------------------------------------------------------------------


def test_tokens_are_checked(api: Api, running: Sandbox) -> None:
    address = f"{api.root}/systemusers?$top=1"
    own = f"{running.info.dataverse_url}/.default"
    foreign = Tokens(MovableClock()).issue("client", own)
    expired = api.session.headers["Authorization"]
    with plain_session(running) as session:
        for value in ("", "Bearer", "Bearer nonsense", f"Bearer {foreign}"):
            answer = session.get(address, headers={"Authorization": value} if value else {}, timeout=5)
            assert answer.status_code == 401, value
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert session.get(address, headers={"Authorization": str(expired)}, timeout=5).status_code == 200
        running.clock.advance(3601)
        assert session.get(address, headers={"Authorization": str(expired)}, timeout=5).status_code == 401


def test_a_missing_privilege_is_named(api: Api, running: Sandbox) -> None:
    denied = frozenset({"prvWriteUser", "prvReadmsdyn_agentstatus"})
    running.dataverse.options.rights[running.info.client_id] = Rights(denied=denied)

    write = api("PATCH", f"systemusers({running.organisation.agent_ids[0]})", {"firstname": "X"})

    assert write.status_code == 403
    assert "prvWriteUser" in write.json()["error"]["message"]
    assert api("GET", "msdyn_agentstatuses").status_code == 403
    assert api("GET", "systemusers?$top=1").status_code == 200


def test_clients_that_are_no_users_are_refused(api: Api, running: Sandbox) -> None:
    running.dataverse.options.members = frozenset({"somebody else"})

    assert api("GET", "systemusers?$top=1").status_code == 403


def test_impersonation_names_both_users(api: Api, running: Sandbox) -> None:
    agent = running.organisation.agent_ids[0]

    key = api("POST", PROFILES, {"msdyn_name": "On behalf"}, MSCRMCallerID=agent, Prefer="return=representation")

    assert key.status_code == 201
    assert key.json()["_createdby_value"] == agent
    assert key.json()["_createdonbehalfby_value"] == running.organisation.application_user_id
    assert api("GET", PROFILES, CallerObjectId=NOBODY).status_code == 403
    running.dataverse.options.rights[running.info.client_id] = Rights(act_on_behalf=False)
    refused = api("GET", PROFILES, MSCRMCallerID=agent)
    assert refused.status_code == 403
    assert "CannotActOnBehalfOfAnotherUser" in refused.json()["error"]["message"]


def test_impersonated_rights_are_the_intersection(api: Api, running: Sandbox) -> None:
    agent = running.organisation.agent_ids[0]
    running.dataverse.options.rights[agent] = Rights(denied=frozenset({"prvReadUser"}))

    assert api("GET", "systemusers?$top=1").status_code == 200
    assert api("GET", "systemusers?$top=1", MSCRMCallerID=agent).status_code == 403


def test_retry_after_grows_while_a_client_keeps_sending(api: Api, running: Sandbox) -> None:
    running.clock.advance(301)
    running.dataverse.options.request_limit = 3
    for _ in range(3):
        assert api("GET", "systemusers?$top=1").status_code == 200

    refused = [api("GET", "systemusers?$top=1") for _ in range(3)]

    assert {refusal(answer) for answer in refused} == {(429, "0x80072322")}
    waits = [int(answer.headers["Retry-After"]) for answer in refused]
    assert 290 <= waits[0] <= 300
    assert waits == [waits[0], waits[0] + 1, waits[0] + 2]
    assert refused[0].headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "0"
    running.clock.advance(301)
    assert api("GET", "systemusers?$top=1").status_code == 200


@pytest.mark.parametrize(("limit", "code"), [("execution_limit", "0x80072321"), ("concurrency_limit", "0x80072326")])
def test_the_other_two_limits(api: Api, running: Sandbox, limit: str, code: str) -> None:
    setattr(running.dataverse.options, limit, 0)

    assert refusal(api("GET", "systemusers?$top=1")) == (429, code)


# --- writing -------------------------------------------------------------------------------------------------------


def test_conditions(api: Api) -> None:
    key = api.create(PROFILES, {"msdyn_name": "Conditions"})
    etag = api("GET", f"{PROFILES}({key})").headers["ETag"]

    assert api("GET", f"{PROFILES}({key})", If_None_Match=etag).status_code == 304
    assert api("PATCH", f"{PROFILES}({key})", {"msdyn_name": "A"}, If_Match=etag).status_code == 204
    assert refusal(api("PATCH", f"{PROFILES}({key})", {"msdyn_name": "B"}, If_Match=etag)) == (412, "0x80060882")
    assert refusal(api("DELETE", f"{PROFILES}({key})", If_Match=etag)) == (412, "0x80060882")
    assert api("PATCH", f"{PROFILES}({key})", {"msdyn_name": "C"}, If_None_Match="*").status_code == 412
    assert api("PATCH", f"{PROFILES}({NOBODY})", {"msdyn_name": "D"}, If_Match="*").status_code == 404
    assert api("GET", f"{PROFILES}({NOBODY})").status_code == 404
    assert api("PATCH", f"{PROFILES}({NOBODY})", {"msdyn_name": "E"}, If_None_Match="*").status_code == 204
    assert api("GET", f"{PROFILES}({NOBODY})").json()["msdyn_name"] == "E"
    assert api("DELETE", f"{PROFILES}({NOBODY})").status_code == 204


def test_a_client_chosen_id_or_a_taken_key_makes_no_second_row(api: Api) -> None:
    key = api.create(PROFILES, {"msdyn_name": "Once", "msdyn_uniquename": "once"})

    again = {"msdyn_name": "Twice", "msdyn_capacityprofileid": key}
    assert refusal(api("POST", PROFILES, again)) == (412, "0x80040237")
    assert refusal(api("POST", PROFILES, {"msdyn_uniquename": "once"})) == (412, "0x80040237")


@pytest.mark.parametrize(("nav", "status"), [("UserId", 204), ("userid", 400), ("userId", 400)])
def test_binds_are_case_sensitive(api: Api, running: Sandbox, nav: str, status: int) -> None:
    user = running.organisation.agent_ids[0]
    body = {"name": "Bound", "resourcetype": 3, f"{nav}@odata.bind": f"/systemusers({user})"}

    answer = api("POST", "bookableresources", body)

    assert answer.status_code == status
    if status == 400:
        assert f"An undeclared property '{nav}'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"UserId@odata.bind": f"/systemusers({NOBODY})"}, 404),
        ({"UserId@odata.bind": f"/teams({NOBODY})"}, 404),
        ({"UserId@odata.bind": "nonsense"}, 400),
        ({"userid": NOBODY}, 400),
        ({"nothing": 1}, 400),
        ({"resourcetype": 77}, 400),
        ({"resourcetype": "3"}, 400),
        ({"name": "x" * 300}, 400),
        ({"versionnumber": 3}, 400),
    ],
)
def test_wrong_values_are_refused(api: Api, body: dict[str, Any], status: int) -> None:
    assert api("POST", "bookableresources", body).status_code == status


def test_a_lookup_can_be_cleared(api: Api, running: Sandbox) -> None:
    user = running.organisation.agent_ids[1]

    assert api("PATCH", f"systemusers({user})", {"msdyn_phonenumberid@odata.bind": None}).status_code == 204

    assert api("GET", f"systemusers({user})").json()["_msdyn_phonenumberid_value"] is None


def test_a_secret_is_never_read_back(api: Api) -> None:
    body = {"name": "E", "url": "https://x.example", "contract": 8, "authtype": 4, "authvalue": "secret"}

    answer = api("POST", "serviceendpoints", body, Prefer="return=representation")

    assert answer.status_code == 201
    assert answer.json()["isauthvalueset"] is True
    assert "secret" not in answer.text
    assert api("GET", "serviceendpoints?$select=authvalue").status_code == 400
    assert "secret" not in api("GET", "serviceendpoints").text


def test_wrong_batches_are_refused_as_a_whole(api: Api) -> None:
    part = (
        "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "GET /api/data/v9.2/roles?$top=1 HTTP/1.1\r\n\r\n\r\n"
    )
    headers = {"Content-Type": "multipart/mixed; boundary=b"}

    good = api.session.post(f"{api.root}/$batch", f"{part * 2}--b--\r\n", headers=headers, timeout=5)
    assert good.text.count("HTTP/1.1 200 OK") == 2
    many = api.session.post(f"{api.root}/$batch", f"{part * 1001}--b--\r\n", headers=headers, timeout=5)
    assert many.status_code == 400
    assert many.headers["Content-Type"].startswith("application/json")
    assert api("POST", "$batch", {}).status_code == 400


# --- change tracking -----------------------------------------------------------------------------------------------


def tracked(api: Api, url: str) -> tuple[list[dict[str, Any]], str]:
    """All rows of a tracked read, and the delta link of its last page."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = api("GET", url, Prefer=TRACK)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["value"]
        if "@odata.deltaLink" in page:
            assert "@odata.nextLink" not in page
            return rows, page["@odata.deltaLink"]
        url = page["@odata.nextLink"]


def test_a_delta_holds_changes_then_deletions(api: Api) -> None:
    kept, gone = (api.create(PROFILES, {"msdyn_name": name}) for name in ("Kept", "Gone"))
    rows, link = tracked(api, f"{PROFILES}?$select=msdyn_name")
    assert {kept, gone} <= {row["msdyn_capacityprofileid"] for row in rows}
    assert re.search(r"\$deltatoken=\d+%21\d\d%2F", link)

    new = api.create(PROFILES, {"msdyn_name": "New"})
    passing = api.create(PROFILES, {"msdyn_name": "Passing"})
    api("PATCH", f"{PROFILES}({kept})", {"msdyn_name": "Kept, changed"})
    api("DELETE", f"{PROFILES}({gone})")
    api("DELETE", f"{PROFILES}({passing})")
    count = api("GET", f"{PROFILES}/$count?{link.partition('?')[2]}")
    delta, following = tracked(api, link)

    assert [row.get("msdyn_name") for row in delta] == ["Kept, changed", "New", None, None]
    assert [row["id"] for row in delta[2:]] == [gone, passing]
    assert all(row["reason"] == "deleted" and row["@odata.context"].endswith("/$deletedEntity") for row in delta[2:])
    assert not any("@odata.context" in row for row in delta[:2])
    assert count.text == "4"
    assert tracked(api, following)[0] == []
    api("DELETE", f"{PROFILES}({new})")
    assert [row["id"] for row in tracked(api, following)[0]] == [new]


def test_what_was_rolled_back_is_no_deletion(api: Api) -> None:
    _, link = tracked(api, f"{PROFILES}?$select=msdyn_name")
    target = {"@odata.type": "Microsoft.Dynamics.CRM.msdyn_capacityprofile", "msdyn_uniquename": "rolled back"}

    answer = api("POST", f"{PROFILES}/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": [target, target]})

    assert answer.status_code == 412
    assert tracked(api, link)[0] == []


def test_a_long_delta_is_paged(api: Api, running: Sandbox) -> None:
    _, link = tracked(api, f"{PROFILES}?$select=msdyn_name")
    keys = [api.create(PROFILES, {"msdyn_name": f"Page {number}"}) for number in range(5)]
    for key in keys[:3]:
        api("DELETE", f"{PROFILES}({key})")
    running.dataverse.options.page_size = 2

    delta, _ = tracked(api, link)

    assert [row.get("msdyn_name") or row["id"] for row in delta] == ["Page 3", "Page 4", *keys[:3]]


def test_a_change_during_the_first_read_comes_with_the_delta(api: Api, running: Sandbox) -> None:
    first = api("GET", "systemusers?$select=firstname", Prefer=TRACK).json()
    agent = running.organisation.agent_ids[0]
    api("PATCH", f"systemusers({agent})", {"firstname": "Changed"})

    _, link = tracked(api, first["@odata.nextLink"])

    assert [row["firstname"] for row in tracked(api, link)[0]] == ["Changed"]


@pytest.mark.parametrize("option", ["filter=statecode eq 0", "orderby=msdyn_name", "expand=createdby", "top=3"])
def test_change_tracking_refuses_query_options(api: Api, option: str) -> None:
    answer = api("GET", f"{PROFILES}?${option}", Prefer=TRACK)

    name = option.partition("=")[0]
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.'
    )


def test_change_tracking_needs_the_table_and_the_right(api: Api, running: Sandbox) -> None:
    assert api("GET", "roles", Prefer=TRACK).status_code == 400
    running.dataverse.options.untracked_tables = frozenset({"msdyn_agentstatus"})
    assert api("GET", "msdyn_agentstatuses", Prefer=TRACK).status_code == 400
    definitions = api("GET", "EntityDefinitions?$filter=ChangeTrackingEnabled eq true&$select=LogicalName").json()
    names = {row["LogicalName"] for row in definitions["value"]}
    assert "systemuser" in names
    assert "msdyn_agentstatus" not in names
    running.dataverse.options.rights[running.info.client_id] = Rights(organisation_read=False)
    assert api("GET", "systemusers", Prefer=TRACK).status_code == 403
    assert api("GET", "systemusers?$top=1").status_code == 200


def test_a_delta_token_dies_after_its_days(running: Sandbox) -> None:
    reset_options(running)
    running.dataverse.options.expired_token_status = 410
    running.dataverse.options.expired_token_code = "0x80000001"
    before = Api(running)
    with before.session:
        _, link = tracked(before, f"{PROFILES}?$select=msdyn_name")
    running.clock.advance(7 * 86400 - 60)
    alive = Api(running)
    with alive.session:
        assert alive("GET", link, Prefer=TRACK).status_code == 200
    running.clock.advance(120)
    after = Api(running)
    with after.session:
        assert refusal(after("GET", link, Prefer=TRACK)) == (410, "0x80000001")


# --- filters -------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "eq": int.__eq__,
    "ne": int.__ne__,
    "lt": int.__lt__,
    "le": int.__le__,
    "gt": int.__gt__,
    "ge": int.__ge__,
}


def holds(expression: str, **values: Any) -> bool:
    return compile_filter(expression, TABLES["systemuser"], Rows({}))(values)


@given(value=TEXTS, part=TEXTS)
def test_text_filters_agree_with_python(value: str, part: str) -> None:
    literal = "'" + part.replace("'", "''") + "'"
    folded, wanted = value.casefold(), part.casefold()

    assert holds(f"fullname eq {literal}", fullname=value) == (folded == wanted)
    assert holds(f"contains(fullname,{literal})", fullname=value) == (wanted in folded)
    assert holds(f"startswith(fullname,{literal})", fullname=value) == folded.startswith(wanted)
    assert holds(f"not endswith(fullname,{literal})", fullname=value) != folded.endswith(wanted)


@given(value=st.integers(-1000, 1000), other=st.integers(-1000, 1000), operator=st.sampled_from(sorted(COMPARISONS)))
def test_number_filters_agree_with_python(value: int, other: int, operator: str) -> None:
    assert holds(f"msdyn_capacity {operator} {other}", msdyn_capacity=value) == COMPARISONS[operator](value, other)
    assert holds(f"msdyn_capacity {operator} {other}") == (operator == "ne")


@given(a=st.booleans(), b=st.booleans(), c=st.booleans())
def test_and_binds_closer_than_or(a: bool, b: bool, c: bool) -> None:
    values = {"isdisabled": a, "msdyn_gdproptout": b, "isemailaddressapprovedbyo365admin": c}
    x, y, z = (f"{name} eq true" for name in values)

    assert holds(f"{x} or {y} and {z}", **values) == (a or (b and c))
    assert holds(f"({x} or {y}) and not ({z})", **values) == ((a or b) and not c)


def test_filters_on_dates_ids_lists_and_other_rows(api: Api, running: Sandbox) -> None:
    agent = running.organisation.agent_ids[5]
    assert len(api.rows("systemusers", f"systemuserid eq {agent}")) == 1
    assert len(api.rows("systemusers", f"systemuserid eq '{agent.upper()}'")) == 1
    assert api.rows("systemusers", "createdon lt 2026-01-05T08:00:00Z") == []
    assert api.rows("systemusers", "createdon ge 2026-01-05 and createdon le 2026-01-05T09:00:00+01:00")
    by_name = api.rows("msdyn_agentstatuses", "msdyn_currentpresenceid/msdyn_name eq 'Offline'")
    by_id = api.rows("msdyn_agentstatuses", "_msdyn_currentpresenceid_value eq 70139190-c07a-e811-8162-000d3aa11f50")
    assert len(by_name) == len(by_id) > 0
    # The parser takes `all` off the front of this name.
    assert len(api.rows("customapis", "allowedcustomprocessingsteptype eq 2")) == 2
    assert len(api.rows("roles", "name in ('Omnichannel agent','Omnichannel supervisor')")) == 2
    resources = "systemuser_bookableresource_UserId/any(r:r/statecode eq 1)"
    assert {row["systemuserid"] for row in api.rows("systemusers", resources)} == {
        key for key, defect in running.organisation.defects.items() if defect is Defect.INACTIVE_RESOURCE
    }
    assert holds("fullname eq null")
    with pytest.raises(WebApiError):
        compile_filter("frobnicate(fullname) eq 1", TABLES["systemuser"], Rows({}))


def test_blanks_arrive_as_plus_or_percent(api: Api) -> None:
    for blank in ("+", "%20"):
        found = api("GET", f"roles?$filter=name{blank}eq{blank}'Omnichannel{blank}agent'").json()["value"]
        assert [row["name"] for row in found] == ["Omnichannel agent"]


# --- metadata, actions ---------------------------------------------------------------------------------------------


def test_the_recipients_column_can_be_absent(api: Api, running: Sandbox) -> None:
    probe = "EntityDefinitions(LogicalName='systemuser')/Attributes(LogicalName='msdyn_emergencyemailrecipients')"
    assert api("GET", probe).json()["AttributeType"] == "String"

    running.dataverse.options.recipients_column = False

    assert api("GET", probe).status_code == 404
    assert api("GET", "systemusers?$select=msdyn_emergencyemailrecipients").status_code == 400
    assert "msdyn_emergencyemailrecipients" not in api("GET", "systemusers?$top=1").json()["value"][0]
    assert "msdyn_emergencyemailrecipients" not in api("GET", "$metadata").text


def test_metadata_document_and_root(api: Api) -> None:
    document = api("GET", "$metadata")

    assert 'EntitySet Name="systemusers"' in document.text
    assert 'NavigationProperty Name="msdyn_capacityProfile_id"' in document.text
    assert api("GET", "").status_code == 200
    assert api("GET", "WhoAmI").json().keys() >= {"UserId", "OrganizationId", "BusinessUnitId"}


def presence_of(api: Api, agent: str) -> dict[str, Any]:
    return api.rows("msdyn_agentstatuses", f"_msdyn_agentid_value eq {agent}")[0]


def test_presence_is_changed_and_read(api: Api, running: Sandbox) -> None:
    agent = running.organisation.agent_ids[0]
    body = {"ApiVersion": "1.0", "AgentId": agent, "PresenceId": BUSY_DND}

    answer = api("POST", "CCaaS_ModifyAgentPresence", body)

    assert (answer.status_code, answer.content) == (200, b"")
    row = presence_of(api, agent)
    assert row["_msdyn_currentpresenceid_value"] == BUSY_DND
    assert row["_modifiedby_value"] == running.organisation.engine_user_id
    read = api("GET", "CCaaS_GetPresence", MSCRMCallerID=agent).json()
    assert (read["AgentId"], read["PresenceId"], read["CurrentPresenceStatusInfo"]) == (agent, BUSY_DND, "Busy DND")


def test_presence_refusals(api: Api, running: Sandbox) -> None:
    agent = running.organisation.agent_ids[0]
    good = {"ApiVersion": "1.0", "AgentId": agent, "PresenceId": BUSY_DND}

    assert api("POST", "CCaaS_ModifyAgentPresence", {**good, "ApiVersion": "2.0"}).status_code == 400
    assert api("POST", "CCaaS_ModifyAgentPresence", {**good, "AgentId": NOBODY}).status_code == 404
    assert api("POST", "CCaaS_ModifyAgentPresence", {**good, "PresenceId": NOBODY}).status_code == 404
    running.dataverse.options.rights[running.info.client_id] = Rights(supervisor=False)
    assert api("POST", "CCaaS_ModifyAgentPresence", good).status_code == 403


def test_the_template_is_rendered_with_fallbacks(api: Api, running: Sandbox) -> None:
    (template,) = api.rows("templates", f"title eq '{TEMPLATE_TITLE}'")
    assert template["body"].startswith("\ufeff<?xml")
    agent = running.organisation.agent_ids[0]
    api("PATCH", f"systemusers({agent})", {"fullname": "Ann <b> O'Brien", "mobilephone": None})
    body = {"TemplateId": template["templateid"], "ObjectType": "systemuser", "ObjectId": agent}

    (email,) = api("POST", "InstantiateTemplate", body).json()["value"]

    assert email["subject"] == "Emergency call by Ann <b> O'Brien"
    assert "<strong>Ann <b> O'Brien</strong>&nbsp;has just dialled" in email["description"]
    assert "Mobile: not on file" in email["description"]


def sent_by(api: Api, agent: str) -> int:
    parties = [
        {"participationtypemask": 1, "partyid_systemuser@odata.bind": f"/systemusers({agent})"},
        {"participationtypemask": 2, "addressused": "contact@example.com"},
    ]
    key = api.create("emails", {"subject": "S", "description": "D", "email_activity_parties": parties})
    answer = api("POST", f"emails({key})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})
    assert answer.json()["Subject"] == "S"
    return int(api("GET", f"emails({key})").json()["statuscode"])


def test_mail_leaves_only_from_a_ready_mailbox(api: Api, running: Sandbox) -> None:
    defects = running.organisation.defects
    ready = next(key for key in running.organisation.agent_ids if key not in defects)
    broken = next(key for key, defect in defects.items() if defect is Defect.TEST_FAILED)

    assert sent_by(api, ready) == 3
    assert sent_by(api, broken) == 6


def test_mail_needs_a_user_as_sender(api: Api) -> None:
    parties = [{"participationtypemask": 1, "addressused": "somebody@example.com"}]
    key = api.create("emails", {"subject": "S", "email_activity_parties": parties})

    answer = api("POST", f"emails({key})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Invalid sender party"


# --- the seeded organisation ---------------------------------------------------------------------------------------


def test_seeding_is_deterministic_and_complete() -> None:
    first, second = Organisation.seed(60), Organisation.seed(60)

    assert first == second
    assert first.tables != Organisation.seed(60, seed=7).tables
    assert set(first.defects.values()) == set(Defect)
    germans = [row for row in first.tables["systemuser"] if row.get("address1_country") == "Germany"]
    assert len(germans) == 1
    assert len(Organisation.seed(500).defects) == 100


def test_every_seeded_column_and_lookup_exists() -> None:
    organisation = Organisation.seed(60)
    rows = Rows(organisation.tables)
    for name, found in organisation.tables.items():
        by_wire = TABLES[name].by_wire
        for row in found:
            assert row.keys() <= by_wire.keys(), name
            for wire, value in row.items():
                if by_wire[wire].kind == "Lookup":
                    assert rows.get(by_wire[wire].target, value), (name, wire)


def test_the_callback_pool_is_in_no_table() -> None:
    organisation = Organisation.seed(200)
    known = {row["msdyn_phonenumber"] for row in organisation.tables["msdyn_ocphonenumber"]}

    pool = [n for n in organisation.acs_numbers if n["phoneNumber"] not in known]

    assert {n["capabilities"]["calling"] for n in pool} == {"inbound+outbound"}
    for country in ("US", "GB", "DK", "CA", "PR"):
        assert sum(number["countryCode"] == country for number in pool) >= 4


def test_the_facade_changes_rows_behind_the_api(api: Api, running: Sandbox) -> None:
    dataverse: Dataverse = running.dataverse
    agent = running.organisation.agent_ids[2]

    dataverse.change("systemuser", agent, isdisabled=True)

    assert api("GET", f"systemusers({agent})").json()["isdisabled"] is True
