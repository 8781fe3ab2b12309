"""The whole path: broken in Dataverse, synced, found by its own code; mended there, synced, and gone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from connector.assembly import Connector
from connector.errors import ServiceRejected
from connector.mappings import EventMapping
from connector.prerequisites.codes import prerequisite
from connector.prerequisites.facts import WebhookFacts
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.load import webhooks
from connector.prerequisites.load.organisation import validation_context
from connector.prerequisites.report import AgentReport, Selection, check_all, validate
from connector.sandbox import Sandbox
from connector.sandbox.agents import Defect
from connector.sandbox.dataverse import Rights
from connector.sandbox.dataverse.tables import TABLES
from connector.sandbox.faults import Fault
from connector.sandbox.platform_rows import TEMPLATE_TITLE
from connector.store.directory_schema import agents
from tests.integration.stage import chosen

DIALLED, ENDED = "ec_EmergencyCallDialled", "ec_EmergencyCallEnded"


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path) -> Iterator[Connector]:
    sandbox.faults.clear()
    with Connector(chosen(sandbox, f"sqlite:///{tmp_path}/calls.db", tmp_path)) as made:
        made.sync()
        yield made


class Mending:
    """One agent's rows in Dataverse, and the rows of an agent with whom nothing is wrong."""

    def __init__(self, sandbox: Sandbox, agent_id: str) -> None:
        self.rows, self.change, self.agent_id = sandbox.dataverse.rows, sandbox.dataverse.change, agent_id
        defects, organisation = sandbox.organisation.defects, sandbox.organisation
        self.good_id = next(key for key in organisation.agent_ids if key not in defects)

    def row(self, table: str, **wanted: Any) -> dict[str, Any]:
        return next(
            row for row in self.rows.all(table) if all(row.get(name) == value for name, value in wanted.items())
        )

    def user(self, **columns: Any) -> None:
        self.change("systemuser", self.agent_id, **columns)

    def resource_of(self, agent_id: str) -> str:
        return str(self.row("bookableresource", _userid_value=agent_id)["bookableresourceid"])

    def profile_of(self, agent_id: str) -> str:
        link = self.row(
            "msdyn_bookableresourcecapacityprofile", _msdyn_bookableresourceid_value=self.resource_of(agent_id)
        )
        return str(link["_msdyn_capacityprofileid_value"])

    def stream_of(self, agent_id: str) -> str:
        table = "msdyn_liveworkstreamcapacityprofile"
        link = self.row(table, _msdyn_capacityprofile_id_value=self.profile_of(agent_id))
        return str(link["_msdyn_workstream_id_value"])

    def channel_of(self, agent_id: str) -> dict[str, Any]:
        return self.row("msdyn_ocvoicechannelsetting", _msdyn_liveworkstreamid_value=self.stream_of(agent_id))

    def insert(self, table: str, **values: Any) -> str:
        key = str(uuid.uuid4())
        self.rows.insert(table, {f"{table}id": key, "statecode": 0, **values})
        return key

    def set_state(self, table: str, key: str) -> None:
        self.change(table, key, statecode=0, statuscode=1)

    def good_number(self) -> None:
        good = self.rows.get("systemuser", self.good_id)
        assert good is not None
        self.user(_msdyn_phonenumberid_value=good.values["_msdyn_phonenumberid_value"])

    def resource(self) -> None:
        self.insert("bookableresource", name="x", resourcetype=3, _userid_value=self.agent_id)
        self.link()

    def link(self) -> None:
        resource, profile = self.resource_of(self.agent_id), self.profile_of(self.good_id)
        table = "msdyn_bookableresourcecapacityprofile"
        self.insert(table, _msdyn_bookableresourceid_value=resource, _msdyn_capacityprofileid_value=profile)

    def active_link(self) -> None:
        table = "msdyn_bookableresourcecapacityprofile"
        link = self.row(table, _msdyn_bookableresourceid_value=self.resource_of(self.agent_id))
        self.set_state(table, link[f"{table}id"])

    def stream_link(self) -> None:
        profile, stream = self.profile_of(self.agent_id), self.stream_of(self.good_id)
        table = "msdyn_liveworkstreamcapacityprofile"
        self.insert(table, _msdyn_capacityprofile_id_value=profile, _msdyn_workstream_id_value=stream)

    def stream(self, **columns: Any) -> None:
        self.change("msdyn_liveworkstream", self.stream_of(self.agent_id), **columns)

    def channel(self) -> None:
        number = self.channel_of(self.good_id)["_msdyn_phonenumberid_value"]
        stream = self.stream_of(self.agent_id)
        table = "msdyn_ocvoicechannelsetting"
        self.insert(table, _msdyn_liveworkstreamid_value=stream, _msdyn_phonenumberid_value=number)

    def channel_number(self) -> None:
        key = self.channel_of(self.agent_id)["msdyn_ocvoicechannelsettingid"]
        number = self.channel_of(self.good_id)["_msdyn_phonenumberid_value"]
        self.change("msdyn_ocvoicechannelsetting", key, _msdyn_phonenumberid_value=number)

    def number_outbound(self) -> None:
        number = self.channel_of(self.agent_id)["_msdyn_phonenumberid_value"]
        self.change("msdyn_ocphonenumber", number, msdyn_phoneoutboundenabled=True)

    def mailbox(self, **columns: Any) -> None:
        user = self.rows.get("systemuser", self.agent_id)
        assert user is not None
        self.change("mailbox", user.values["_defaultmailbox_value"], **columns)

    def new_mailbox(self) -> None:
        good = {"outgoingemaildeliverymethod": 2, "outgoingemailstatus": 1, "enabledforoutgoingemail": True}
        self.user(_defaultmailbox_value=self.insert("mailbox", emailrouteraccessapproval=1, **good))


def resources_active(mend: Mending) -> None:
    mend.set_state("bookableresource", mend.resource_of(mend.agent_id))


def profile_active(mend: Mending) -> None:
    mend.set_state("msdyn_capacityprofile", mend.profile_of(mend.agent_id))


Mend = Callable[[Mending], None]
PATHS: dict[Defect, tuple[str, Mend]] = {
    Defect.NO_RESOURCE: ("capacity.no_resource", Mending.resource),
    Defect.INACTIVE_RESOURCE: ("capacity.resource_inactive", resources_active),
    Defect.NO_PROFILE_LINK: ("capacity.no_profile", Mending.link),
    Defect.INACTIVE_PROFILE_LINK: ("capacity.profile_link_inactive", Mending.active_link),
    Defect.INACTIVE_PROFILE: ("capacity.profile_inactive", profile_active),
    Defect.NO_WORKSTREAM: ("capacity.no_outbound_profile", Mending.stream_link),
    Defect.INBOUND_WORKSTREAM: ("capacity.not_outbound", lambda mend: mend.stream(msdyn_direction=1)),
    Defect.NOT_VOICE: ("capacity.not_voice", lambda mend: mend.stream(msdyn_streamsource=192440000)),
    Defect.INACTIVE_WORKSTREAM: ("capacity.work_stream_inactive", lambda mend: mend.stream(statecode=0)),
    Defect.NO_CHANNEL: ("capacity.no_channel", Mending.channel),
    Defect.NO_CHANNEL_NUMBER: ("capacity.no_number", Mending.channel_number),
    Defect.CHANNEL_NUMBER_NOT_OUTBOUND: ("capacity.number_not_outbound", Mending.number_outbound),
    Defect.NO_MAILBOX: ("mailbox.missing", Mending.new_mailbox),
    Defect.INACTIVE_MAILBOX: ("mailbox.inactive", lambda mend: mend.mailbox(statecode=0)),
    Defect.DELIVERY_METHOD: ("mailbox.not_server_side", lambda mend: mend.mailbox(outgoingemaildeliverymethod=2)),
    Defect.OUTGOING_DISABLED: ("mailbox.outgoing_disabled", lambda mend: mend.mailbox(enabledforoutgoingemail=True)),
    Defect.TEST_NOT_RUN: ("mailbox.not_tested", lambda mend: mend.mailbox(outgoingemailstatus=1)),
    Defect.TEST_FAILED: ("mailbox.test_failed", lambda mend: mend.mailbox(outgoingemailstatus=1)),
    Defect.ADDRESS_NOT_APPROVED: ("mailbox.not_approved", lambda mend: mend.mailbox(emailrouteraccessapproval=1)),
    Defect.NO_RECIPIENTS: ("recipients.none", lambda mend: mend.user(msdyn_emergencyemailrecipients="a@example.com")),
    Defect.INVALID_RECIPIENT: (
        "recipients.invalid",
        lambda mend: mend.user(msdyn_emergencyemailrecipients="a@example.com; b@example.com"),
    ),
    Defect.NOT_PURCHASED: ("number.not_purchased", Mending.good_number),
    Defect.INBOUND_ONLY: ("number.no_outbound", Mending.good_number),
    Defect.ROUTE_CATCHES_EMERGENCY: ("routing.catches_emergency", Mending.good_number),
    Defect.THIRD_PARTY_CARRIER: ("carrier.third_party", Mending.good_number),
    Defect.UNSUPPORTED_COUNTRY: (
        "location.address_unsupported",
        lambda mend: mend.user(address1_country="United States"),
    ),
}
ORDINARY = {"location.not_attested", "routing.catches_calling_plan"}


def reports(connector: Connector, **context: Any) -> dict[str, AgentReport]:
    known = validation_context(connector.settings, connector.store, connector.clock.now(), **context)
    return {report.agent_id: report for report in check_all(connector.directory_store, connector.mappings, known)}


def codes(report: AgentReport) -> set[str]:
    return {finding.code for finding in report.findings}


def selected(connector: Connector, wanted: Selection) -> list[AgentReport]:
    known = validation_context(connector.settings, connector.store, connector.clock.now())
    with validate(connector.directory_store, connector.mappings, known, wanted) as run:
        return list(run.agents)


def of_organisation(connector: Connector, webhook: WebhookFacts | None = None) -> dict[str, Finding]:
    known = validation_context(connector.settings, connector.store, connector.clock.now(), webhook)
    with validate(connector.directory_store, connector.mappings, known) as run:
        return {finding.code: finding for finding in run.organisation}


def read_webhooks(connector: Connector) -> WebhookFacts:
    return webhooks.read(connector.dataverse, connector.mappings, connector.clock.now())


def test_every_way_to_break_an_agent_is_found_by_its_code_and_gone_once_mended(
    sandbox: Sandbox, connector: Connector
) -> None:
    assert set(PATHS) == set(Defect)
    found = reports(connector)
    assert set(found) == set(sandbox.organisation.agent_ids)
    for agent_id, report in found.items():
        defect = sandbox.organisation.defects.get(agent_id)
        expected = {PATHS[defect][0]} if defect else set()
        # Agents on direct routing are told of their carrier besides.
        assert codes(report) - ORDINARY - {"carrier.third_party"} == expected - {"carrier.third_party"}, defect
        assert expected <= codes(report), defect
        assert all(finding.evidence for finding in report.findings)
    for agent_id, defect in sandbox.organisation.defects.items():
        PATHS[defect][1](Mending(sandbox, agent_id))
    results = connector.sync()
    assert not any(result.full for result in results), "only the changes were read"
    for agent_id, report in reports(connector).items():
        assert codes(report) <= ORDINARY, sandbox.organisation.defects.get(agent_id)
        assert report.ready


class Breaking(Mending):
    """Breaks what is around a good agent and remembers how it was."""

    def __init__(self, sandbox: Sandbox, patch: pytest.MonkeyPatch) -> None:
        super().__init__(sandbox, "")
        self.agent_id, self.sandbox, self.patch = self.good_id, sandbox, patch
        self.change, self._before = self.noted, list[tuple[str, str, dict[str, Any]]]()

    def noted(self, table: str, row_id: str, **columns: Any) -> None:
        row = self.rows.get(table, row_id)
        assert row is not None
        self._before.append((table, row_id, {name: row.values.get(name) for name in columns}))
        self.sandbox.dataverse.change(table, row_id, **columns)

    def mend(self) -> None:
        for table, key, columns in reversed(self._before):
            self.sandbox.dataverse.change(table, key, **columns)
        self._before.clear()
        self.patch.undo()

    def channel_off(self) -> None:
        key = self.channel_of(self.agent_id)["msdyn_ocvoicechannelsettingid"]
        self.change("msdyn_ocvoicechannelsetting", key, statecode=1)

    def channel_number_off(self) -> None:
        number = self.channel_of(self.agent_id)["_msdyn_phonenumberid_value"]
        self.change("msdyn_ocphonenumber", number, statecode=1)

    def no_number(self) -> None:
        self.user(_msdyn_phonenumberid_value=None)
        self.channel_off()

    def direct(self) -> None:
        user = self.rows.get("systemuser", self.agent_id)
        assert user is not None
        number = user.values["_msdyn_phonenumberid_value"]
        self.change("msdyn_ocphonenumber", number, msdyn_ocphonenumbersource=192350001)

    def no_trunk(self) -> None:
        self.direct()
        self.patch.setattr(self.sandbox.acs.sip, "configuration", {"trunks": {}, "routes": []})

    def no_purchased_number(self) -> None:
        self.direct()
        self.patch.setattr(self.sandbox.acs.numbers.inventory, "owned", {})

    def abroad(self) -> None:
        self.user(_msdyn_phonenumberid_value=None, address1_country="Germany")

    def template_that_stops(self) -> None:
        space = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"'
        stop = "<xsl:if test=\"systemuser/address1_city='Bremen'\"><xsl:message terminate='yes'/></xsl:if>"
        body = f'<xsl:stylesheet {space}><xsl:template match="/data">{stop}</xsl:template></xsl:stylesheet>'
        self.change("template", self.row("template", title=TEMPLATE_TITLE)["templateid"], body=body)
        self.user(address1_city="Bremen")


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("capacity.channel_inactive", Breaking.channel_off),
        ("capacity.number_inactive", Breaking.channel_number_off),
        ("number.none", Breaking.no_number),
        ("routing.no_trunk", Breaking.no_trunk),
        ("routing.no_purchased_number", Breaking.no_purchased_number),
        ("location.country_unsupported", Breaking.abroad),
        ("template.broken_for_agent", Breaking.template_that_stops),
    ],
)
def test_what_no_agent_of_the_organisation_lacks_is_found_and_gone_once_mended(
    sandbox: Sandbox,
    connector: Connector,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    spoil: Callable[[Breaking], None],
) -> None:
    breaking = Breaking(sandbox, monkeypatch)
    before = codes(reports(connector)[breaking.agent_id])
    spoil(breaking)
    try:
        connector.sync()
        found = {finding.code: finding for finding in reports(connector)[breaking.agent_id].findings}
    finally:
        breaking.mend()
    assert code not in before
    assert found[code].evidence
    connector.sync()
    assert codes(reports(connector)[breaking.agent_id]) == before


@contextmanager
def forbidden(sandbox: Sandbox, connector: Connector, *names: str) -> Iterator[None]:
    """The application may not read these tables."""
    tables = [TABLES[connector.mappings.tables[name].table] for name in names]
    options = sandbox.dataverse.options
    denied = frozenset(f"prvRead{table.privilege}" for table in tables)
    options.rights = {sandbox.info.client_id: Rights(denied=denied)}
    try:
        yield
    finally:
        options.rights = {}


@pytest.fixture
def unsynced(sandbox: Sandbox, tmp_path: Path) -> Iterator[Connector]:
    (tmp_path / "new").mkdir()
    with Connector(chosen(sandbox, f"sqlite:///{tmp_path}/new/calls.db", tmp_path / "new")) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("mailboxes", {"mailbox"}),
        ("resources", {"capacity"}),
        ("work_streams", {"capacity"}),
        ("voice_channels", {"capacity"}),
        ("phone_numbers", {"capacity", "number", "pool"}),
    ],
)
def test_a_table_that_was_never_read_is_no_fault_of_any_agent(
    sandbox: Sandbox, connector: Connector, unsynced: Connector, name: str, groups: set[str]
) -> None:
    with forbidden(sandbox, unsynced, name):
        unsynced.sync()
    whole, found = reports(connector), reports(unsynced)
    assert found.keys() == whole.keys()
    for agent_id, report in found.items():
        if codes(whole[agent_id]) <= ORDINARY:
            unknown = {f"{group}.not_judged": Severity.UNKNOWN for group in groups}
            others = {code for code in codes(whole[agent_id]) if number_alone(code) not in groups}
            assert codes(report) == others | unknown.keys()
            told = [finding for finding in report.findings if finding.code in unknown]
            assert all(finding.severity is Severity.UNKNOWN for finding in told)
            assert all(unsynced.mappings.tables[name].table in finding.evidence for finding in told)
            assert report.ready


def number_alone(code: str) -> str:
    """The prerequisite of a code; without a number nothing can be said of its routing."""
    return prerequisite(code).replace("routing", "number")


def test_a_table_that_does_not_exist_is_no_fault_of_any_agent(sandbox: Sandbox, unsynced: Connector) -> None:
    tables = dict(unsynced.mappings.tables)
    tables["mailboxes"] = replace(tables["mailboxes"], table="ec_absent", set="ec_absents")
    unsynced.mappings = replace(unsynced.mappings, tables=tables)
    unsynced.sync()
    found = reports(unsynced)
    assert all({"mailbox.not_judged"} == mailbox_codes(report) for report in found.values())
    assert of_organisation(unsynced)["sync.table_missing"].severity is Severity.ERROR


def mailbox_codes(report: AgentReport) -> set[str]:
    return {code for code in codes(report) if prerequisite(code) == "mailbox"}


def test_an_earlier_copy_goes_on_being_judged(sandbox: Sandbox, connector: Connector) -> None:
    agent_id = sandbox.organisation.agent_ids[-1]
    kept = sandbox.dataverse.rows.get("systemuser", agent_id)
    assert kept is not None
    mailbox = kept.values["_defaultmailbox_value"]
    sandbox.dataverse.change("systemuser", agent_id, _defaultmailbox_value=None)
    try:
        with forbidden(sandbox, connector, "mailboxes"):
            connector.sync()
    finally:
        sandbox.dataverse.change("systemuser", agent_id, _defaultmailbox_value=mailbox)
    found = reports(connector)
    assert mailbox_codes(found[agent_id]) == {"mailbox.missing"}
    assert not any("mailbox.not_judged" in codes(report) for report in found.values())


def test_numbers_of_acs_that_were_never_read_are_no_fault_of_any_agent(sandbox: Sandbox, unsynced: Connector) -> None:
    sandbox.faults.add("acs", Fault(status=400, path="phoneNumbers|sip", times=0))
    with pytest.raises(ServiceRejected):
        unsynced.sync()
    sandbox.faults.clear()
    found = reports(unsynced)
    wrong = {"number.not_purchased", "routing.no_trunk", "routing.no_purchased_number", "pool.empty"}
    assert not any(codes(report) & wrong for report in found.values())
    assert all("pool.not_judged" in codes(report) for report in found.values() if report.country)
    assert all({"number.not_judged", "routing.not_judged"} & codes(report) for report in found.values() if report.ready)
    assert "ACS" in of_organisation(unsynced)["directory.never_read"].evidence


def test_a_template_that_may_not_be_read_is_not_called_missing(sandbox: Sandbox, unsynced: Connector) -> None:
    with forbidden(sandbox, unsynced, "templates"):
        unsynced.sync()
    told = of_organisation(unsynced)
    assert "template.missing" not in told
    assert told["template.not_judged"].severity is Severity.UNKNOWN


def test_agents_are_known_by_any_sign_of_being_one(sandbox: Sandbox, connector: Connector, unsynced: Connector) -> None:
    with forbidden(sandbox, unsynced, "agent_statuses", "resources"):
        unsynced.sync()
    assert reports(unsynced).keys() == reports(connector).keys()


def test_the_directory_may_be_on_either_engine(sandbox: Sandbox, tmp_path: Path, store_url: str) -> None:
    settings = chosen(sandbox, store_url, tmp_path, directory_url=store_url.replace("calls.db", "directory.db"))
    with Connector(settings) as connector:
        connector.sync()
        found = reports(connector)
        assert set(found) == set(sandbox.organisation.agent_ids)
        (only,) = selected(connector, Selection(agents=(sandbox.organisation.agent_ids[0].upper(),)))
        assert only == found[only.agent_id]
        with connector.directory_store.write() as connection:
            named = update(agents).where(agents.c.id == only.agent_id).values(name="Åse ØDEGÅRD")
            connection.execute(named)
        (danish,) = selected(connector, Selection(agents=(" åse Ødegård",)))
        assert danish.agent_id == only.agent_id


def test_several_channels_of_a_profile_one_of_which_works_are_enough(sandbox: Sandbox, connector: Connector) -> None:
    mend = Mending(sandbox, sandbox.organisation.agent_ids[-1])
    mend.insert("msdyn_ocvoicechannelsetting", _msdyn_liveworkstreamid_value=mend.stream_of(mend.agent_id))
    working = mend.channel_of(mend.agent_id)["msdyn_ocvoicechannelsettingid"]
    connector.sync()
    assert codes(reports(connector)[mend.agent_id]) <= ORDINARY
    mend.change("msdyn_ocvoicechannelsetting", working, statecode=1)
    connector.sync()
    assert "capacity.no_number" in codes(reports(connector)[mend.agent_id])
    mend.change("msdyn_ocvoicechannelsetting", working, statecode=0)


def test_agents_can_be_chosen_by_id_address_or_name_and_by_country(sandbox: Sandbox, connector: Connector) -> None:
    wanted = sandbox.organisation.agent_ids[5]
    row = sandbox.dataverse.rows.get("systemuser", wanted)
    assert row is not None
    for text in (wanted.upper(), row.values["internalemailaddress"].upper(), row.values["fullname"]):
        assert wanted in {report.agent_id for report in selected(connector, Selection(agents=(text,)))}
    danes = selected(connector, Selection(countries=("DK",)))
    assert {report.country for report in danes} == {"DK"}
    judged = selected(connector, Selection(codes=("location",)))
    assert {code for report in judged for code in codes(report)} == {"location.not_attested"}


def test_an_empty_pool_is_told_for_the_countries_that_it_serves(connector: Connector) -> None:
    known = validation_context(connector.settings, connector.store, connector.clock.now())
    assert set(known.pool or ()) == {"US", "PR", "CA", "GB", "DK"}
    with connector.store.write() as connection:
        connection.exec_driver_sql("delete from pool_numbers where country in ('DK', 'PR')")
    found = reports(connector)
    empty = {report.country for report in found.values() if "pool.empty" in codes(report)}
    assert empty == {"DK"}, "Puerto Rico may use numbers of the United States"


def take_out(sandbox: Sandbox, endpoint: str) -> None:
    rows = sandbox.dataverse.rows
    for step in list(rows.all("sdkmessageprocessingstep")):
        if step["_eventhandler_value"] == endpoint:
            rows.delete("sdkmessageprocessingstep", step["sdkmessageprocessingstepid"])


def test_the_webhook_is_looked_up_with_its_failures_of_late(sandbox: Sandbox, connector: Connector) -> None:
    assert {"webhook.not_checked"} <= of_organisation(connector).keys()
    assert {"webhook.no_dial_step", "webhook.no_end_step"} <= of_organisation(
        connector, read_webhooks(connector)
    ).keys()

    elsewhere = sandbox.dataverse.register_webhook("https://somebody-else.example", code="x", messages=[DIALLED, ENDED])
    told = of_organisation(connector, read_webhooks(connector))
    assert [code for code in told if code.startswith("webhook.")] == ["webhook.not_compared"]
    assert "somebody-else.example" in told["webhook.not_compared"].evidence

    connector.settings = chosen(sandbox, "sqlite:///unused.db", Path(), public_url="https://Connector.example/")
    told = of_organisation(connector, read_webhooks(connector))
    assert "somebody-else.example" in told["webhook.no_dial_step"].evidence
    assert "webhook.no_end_step" in told
    take_out(sandbox, elsewhere)

    sandbox.dataverse.register_webhook("https://connector.example/webhooks", code="x", messages=[DIALLED, ENDED])
    told = of_organisation(connector, read_webhooks(connector))
    assert not [code for code in told if code.startswith("webhook.")]

    step = next(row for row in sandbox.dataverse.rows.all("sdkmessageprocessingstep") if DIALLED in row["name"])
    key, now = step["sdkmessageprocessingstepid"], connector.clock.now()
    for days, status in ((1, 31), (2, 31), (3, 30), (30, 31)):
        at = f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
        job = {"asyncoperationid": str(uuid.uuid4()), "statuscode": status, "completedon": at}
        sandbox.dataverse.rows.insert("asyncoperation", {**job, "_owningextensionid_value": key})
    told = of_organisation(connector, read_webhooks(connector))
    assert "2 failed jobs" in told["webhook.failing"].evidence
    assert f"{now - timedelta(days=1):%Y-%m-%d}" in told["webhook.failing"].evidence

    sandbox.dataverse.change("sdkmessageprocessingstep", key, statecode=1)
    told = of_organisation(connector, read_webhooks(connector))
    assert DIALLED in told["webhook.step_disabled"].evidence

    options = sandbox.dataverse.options
    kept = options.rights
    options.rights = {sandbox.info.client_id: Rights(denied=frozenset({"prvReadSdkMessageProcessingStep"}))}
    try:
        told = of_organisation(connector, read_webhooks(connector))
    finally:
        options.rights = kept
    assert told["webhook.not_readable"].evidence


def test_steps_on_a_table_of_ones_own_count_for_that_table_only(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.register_webhook("https://x.example", code="x", messages=["Create:mailbox", "Create:template"])
    parts: dict[Any, str] = {"agent_id": "ownerid"}
    for table, steps in (("mailbox", ["Webhook: Create of mailbox"]), ("account", [])):
        event = EventMapping("Create", "dialled", parts, table=table, set="s")
        own = replace(connector.mappings, events=(event,))
        found = webhooks.read(connector.dataverse, own, connector.clock.now())
        assert [(step.name, step.event) for step in found.steps] == [(name, "dialled") for name in steps]


def test_a_missing_template_and_a_broken_one_are_told_once_for_everybody(
    sandbox: Sandbox, connector: Connector
) -> None:
    assert "template.standard_block" in of_organisation(connector)
    title = connector.settings.template_title
    row = next(row for row in sandbox.dataverse.rows.all("template") if row["title"] == title)
    key, body = row["templateid"], row["body"]
    sandbox.dataverse.change("template", key, body="<xsl:broken xmlns:xsl='http://www.w3.org/1999/XSL/Transform'>")
    connector.sync()
    assert "template.broken" in of_organisation(connector)
    sandbox.dataverse.change("template", key, title="Renamed")
    connector.sync()
    assert title in of_organisation(connector)["template.missing"].evidence
    sandbox.dataverse.change("template", key, title=title, body=body)
    connector.sync()
    assert not {"template.broken", "template.missing"} & of_organisation(connector).keys()


def test_what_the_sync_could_not_read_is_told_under_its_code(sandbox: Sandbox, tmp_path: Path) -> None:
    options = sandbox.dataverse.options
    options.recipients_column = False
    options.rights = {sandbox.info.client_id: Rights(denied=frozenset({"prvReadMailbox"}))}
    try:
        with Connector(chosen(sandbox, f"sqlite:///{tmp_path}/calls.db", tmp_path)) as connector:
            connector.sync()
            told = of_organisation(connector)
    finally:
        options.recipients_column, options.rights = True, {}
    assert "msdyn_emergencyemailrecipients" in told["sync.column_missing"].evidence
    assert "prvReadMailbox" in told["sync.privilege_missing"].evidence
    assert told["sync.column_missing"].severity is Severity.ERROR


def test_an_old_directory_is_told(connector: Connector) -> None:
    assert "directory.old" not in of_organisation(connector)
    with connector.directory_store.write() as connection:
        connection.exec_driver_sql(
            "update sync_progress set completed_at = '2020-01-01 00:00:00' where name = 'agents'"
        )
        connection.exec_driver_sql("update sync_progress set completed_at = null where name = 'mailboxes'")
    told = of_organisation(connector)
    assert told["directory.old"].evidence == "systemuser: 2020-01-01 00:00 UTC"
    assert told["directory.never_read"].evidence == "mailbox"
