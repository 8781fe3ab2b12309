"""Each prerequisite by the one fact that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector import mappings as mapping_files
from connector.acs.numbers import PurchasedNumber, Route, Routing
from connector.directory.addresses import parse
from connector.directory.mailbox import Mailbox
from connector.prerequisites import (
    callback,
    capacity_profile,
    directory_state,
    location,
    mailbox,
    number,
    own_settings,
    recipients,
    report,
    template,
    webhook,
)
from connector.prerequisites.facts import (
    AcsFacts,
    AgentFacts,
    CapacityProfile,
    Carrier,
    LocationCheck,
    OrganisationFacts,
    OutboundProfile,
    PhoneNumber,
    StepFacts,
    TableState,
    TemplateFacts,
    WebhookFacts,
)
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.number import may_match
from connector.prerequisites.report import AgentReport

MAPPINGS = mapping_files.load()
NUMBER = PhoneNumber("+12025550101", outbound=True, carrier=Carrier.CALLING_PLAN)
DIRECT = replace(NUMBER, number="+12025550177", carrier=Carrier.DIRECT_ROUTING)
OUTBOUND = OutboundProfile("Sales out", active=True, outbound=True, voice=True, has_channel=True, number=NUMBER)
PROFILE = CapacityProfile("Voice", active=True, outbound_profiles=(OUTBOUND,))
MAILBOX = Mailbox(active=True, server_side=True, outgoing_enabled=True, tested=True, test_succeeded=True, approved=True)
AGENT = AgentFacts(
    id="a",
    name="Jane Doe",
    country=MAPPINGS.countries["US"],
    country_told="US",
    has_resource=True,
    profiles=(PROFILE,),
    inactive_links=0,
    mailbox=MAILBOX,
    personal_number=None,
    recipients=parse("lead@example.com"),
)
PURCHASED = PurchasedNumber("+12025550101", "US", "inbound+outbound", "geographic")
SAFE_ROUTES = (Route("long numbers", r"^\+[1-9]\d{6,14}$"),)
ACS = AcsFacts({PURCHASED.number: PURCHASED}, Routing(1, SAFE_ROUTES))
ON_DIRECT_ROUTING = replace(AGENT, personal_number=DIRECT)
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ORGANISATION = OrganisationFacts(ACS, NOW, "Emergency")


def check(agent: AgentFacts, acs: AcsFacts) -> AgentReport:
    return report.check(agent, replace(ORGANISATION, acs=acs))


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def errors(agent: AgentFacts, acs: AcsFacts = ACS) -> list[str]:
    return codes(finding for finding in check(agent, acs).findings if finding.severity is Severity.ERROR)


def with_outbound(*outbound: OutboundProfile) -> AgentFacts:
    return replace(AGENT, profiles=(replace(PROFILE, outbound_profiles=outbound),))


def routed(*patterns: str, trunks: int = 1) -> AcsFacts:
    routes = tuple(Route(f"rule {position}", pattern) for position, pattern in enumerate(patterns, start=1))
    return replace(ACS, routing=Routing(trunks, routes))


# A ready agent


def test_a_ready_agent_has_no_error() -> None:
    found = check(AGENT, ACS)
    assert found.ready
    assert codes(found.findings) == ["location.not_attested"]
    assert (found.agent_id, found.name, found.country) == ("a", "Jane Doe", "US")


def test_an_agent_on_direct_routing_can_be_ready() -> None:
    found = check(ON_DIRECT_ROUTING, ACS)
    assert found.ready
    assert codes(found.findings) == ["location.not_attested", "carrier.third_party"]


def test_warnings_and_unknowns_leave_an_agent_ready_and_errors_do_not() -> None:
    assert check(replace(AGENT, recipients=parse("lead@example.com; nobody")), ACS).ready
    assert not check(replace(AGENT, recipients=parse("nobody")), ACS).ready


# Every error by exactly its broken fact

Mend = tuple[str, AgentFacts, AcsFacts]
BROKEN: list[Mend] = [
    ("capacity.no_resource", replace(AGENT, has_resource=None), ACS),
    ("capacity.resource_inactive", replace(AGENT, has_resource=False), ACS),
    ("capacity.no_profile", replace(AGENT, personal_number=NUMBER, profiles=()), ACS),
    ("capacity.profile_link_inactive", replace(AGENT, personal_number=NUMBER, profiles=(), inactive_links=2), ACS),
    (
        "capacity.profile_inactive",
        replace(AGENT, personal_number=NUMBER, profiles=(replace(PROFILE, active=False),)),
        ACS,
    ),
    ("capacity.no_outbound_profile", replace(with_outbound(), personal_number=NUMBER), ACS),
    (
        "capacity.not_outbound",
        replace(with_outbound(replace(OUTBOUND, outbound=False)), personal_number=NUMBER),
        ACS,
    ),
    ("capacity.not_voice", replace(with_outbound(replace(OUTBOUND, voice=False)), personal_number=NUMBER), ACS),
    (
        "capacity.work_stream_inactive",
        replace(with_outbound(replace(OUTBOUND, active=False)), personal_number=NUMBER),
        ACS,
    ),
    (
        "capacity.no_channel",
        replace(with_outbound(replace(OUTBOUND, has_channel=False, number=None)), personal_number=NUMBER),
        ACS,
    ),
    (
        "capacity.channel_inactive",
        replace(
            with_outbound(replace(OUTBOUND, has_channel=False, inactive_channels=1, number=None)),
            personal_number=NUMBER,
        ),
        ACS,
    ),
    ("capacity.no_number", replace(with_outbound(replace(OUTBOUND, number=None)), personal_number=NUMBER), ACS),
    (
        "capacity.number_inactive",
        replace(
            with_outbound(replace(OUTBOUND, number=replace(NUMBER, outbound=False, active=False))),
            personal_number=NUMBER,
        ),
        ACS,
    ),
    (
        "capacity.number_not_outbound",
        replace(with_outbound(replace(OUTBOUND, number=replace(NUMBER, outbound=False))), personal_number=NUMBER),
        ACS,
    ),
    ("location.country_unsupported", replace(AGENT, country=None, country_told="France"), ACS),
    ("mailbox.missing", replace(AGENT, mailbox=None), ACS),
    ("mailbox.inactive", replace(AGENT, mailbox=replace(MAILBOX, active=False)), ACS),
    ("mailbox.not_server_side", replace(AGENT, mailbox=replace(MAILBOX, server_side=False)), ACS),
    ("mailbox.outgoing_disabled", replace(AGENT, mailbox=replace(MAILBOX, outgoing_enabled=False)), ACS),
    ("mailbox.not_approved", replace(AGENT, mailbox=replace(MAILBOX, approved=False)), ACS),
    ("mailbox.not_tested", replace(AGENT, mailbox=replace(MAILBOX, tested=False, test_succeeded=False)), ACS),
    ("mailbox.test_failed", replace(AGENT, mailbox=replace(MAILBOX, test_succeeded=False)), ACS),
    ("number.carrier_unknown", replace(AGENT, personal_number=replace(NUMBER, carrier=Carrier.UNKNOWN)), ACS),
    ("number.not_purchased", AGENT, replace(ACS, purchased={})),
    ("number.no_outbound", AGENT, replace(ACS, purchased={PURCHASED.number: replace(PURCHASED, calling="inbound")})),
    ("routing.no_trunk", ON_DIRECT_ROUTING, replace(ACS, routing=Routing(0, SAFE_ROUTES))),
    ("routing.no_purchased_number", ON_DIRECT_ROUTING, replace(ACS, purchased={})),
    ("routing.catches_emergency", ON_DIRECT_ROUTING, routed(r"^911$")),
    ("recipients.none", replace(AGENT, recipients=parse("")), ACS),
]


@pytest.mark.parametrize(("code", "agent", "acs"), BROKEN, ids=[code for code, _, _ in BROKEN])
def test_a_broken_fact_is_found_by_its_code_alone(code: str, agent: AgentFacts, acs: AcsFacts) -> None:
    assert errors(agent, acs) == [code]
    assert not check(agent, acs).ready


@pytest.mark.parametrize(("code", "agent", "acs"), BROKEN, ids=[code for code, _, _ in BROKEN])
def test_every_finding_says_what_is_wrong_and_what_to_do(code: str, agent: AgentFacts, acs: AcsFacts) -> None:
    (finding,) = (finding for finding in check(agent, acs).findings if finding.code == code)
    assert finding.message
    assert finding.remedy
    assert "Jane" not in finding.message + finding.remedy


def test_nothing_is_left_over_once_all_is_mended() -> None:
    agent = replace(AGENT, has_resource=None, mailbox=None, recipients=parse(""), country=None, profiles=())
    assert errors(agent) == [
        "capacity.no_resource",
        "location.country_unsupported",
        "mailbox.missing",
        "number.none",
        "recipients.none",
    ]
    mended = {f.name: getattr(AGENT, f.name) for f in fields(AGENT)}
    for name in ("has_resource", "mailbox", "recipients", "country", "profiles"):
        assert errors(agent), f"not ready before {name} is mended"
        agent = replace(agent, **{name: mended[name]})
    assert errors(agent) == []


# What rests on tables that were never read


def without(*keys: str) -> OrganisationFacts:
    tables = tuple(TableState(f"table of {key}", None, key=key) for key in keys)
    return replace(ORGANISATION, tables=(*tables, TableState("another", NOW, key="another")), pool={})


@pytest.mark.parametrize(
    ("agent", "key", "expected"),
    [
        (replace(AGENT, mailbox=None), "mailboxes", {"mailbox.not_judged", "pool.empty"}),
        (replace(AGENT, mailbox=replace(MAILBOX, active=False)), "mailboxes", {"mailbox.inactive", "pool.empty"}),
        (AGENT, "mailboxes", {"pool.empty"}),
        (AGENT, "acs", {"pool.not_judged"}),
        (replace(AGENT, personal_number=replace(NUMBER, number="+1")), "acs", {"number.not_judged", "pool.not_judged"}),
        (replace(AGENT, has_resource=None), "resources", {"capacity.not_judged", "pool.empty"}),
        (replace(AGENT, has_resource=None), "voice_channels", {"capacity.no_resource", "pool.empty"}),
        (with_outbound(replace(OUTBOUND, has_channel=False, number=None)), "voice_channels",
         {"capacity.not_judged", "number.not_judged", "pool.empty"}),
        (replace(AGENT, country=None), "phone_numbers", {"location.not_judged"}),
        (replace(AGENT, mailbox=None), "agent_statuses", {"mailbox.missing", "pool.empty"}),
    ],
)  # fmt: skip
def test_what_rests_on_a_table_never_read_is_unknown_and_nothing_else(
    agent: AgentFacts, key: str, expected: set[str]
) -> None:
    found = report.check(agent, without(key)).findings
    assert {finding.code for finding in found} - {"location.not_attested"} == expected
    for finding in found:
        if finding.code.endswith(".not_judged"):
            assert (finding.severity, finding.evidence) == (Severity.UNKNOWN, f"never read whole: table of {key}")


def test_each_prerequisite_is_not_judged_once_naming_every_table() -> None:
    nothing = replace(ON_DIRECT_ROUTING, profiles=(), has_resource=None)
    organisation = replace(without("acs", "resources"), acs=AcsFacts({}, Routing(0, ())))
    found = {finding.code: finding.evidence for finding in report.check(nothing, organisation).findings}
    assert found["routing.not_judged"] == "never read whole: table of acs"
    assert found["capacity.not_judged"] == "never read whole: table of resources"
    told = {finding.code for finding in report.check_organisation(without("templates"))}
    assert told >= {"template.not_judged", "directory.never_read"}
    assert "template.missing" not in told


# P1: the capacity profile

DISTANCES: list[tuple[str, Callable[[OutboundProfile], OutboundProfile]]] = [
    ("capacity.not_outbound", lambda profile: replace(profile, outbound=False)),
    ("capacity.not_voice", lambda profile: replace(profile, voice=False)),
    ("capacity.work_stream_inactive", lambda profile: replace(profile, active=False)),
    ("capacity.no_channel", lambda profile: replace(profile, has_channel=False, number=None)),
    (
        "capacity.channel_inactive",
        lambda profile: replace(profile, has_channel=False, inactive_channels=1, number=None),
    ),
    ("capacity.no_number", lambda profile: replace(profile, number=None)),
    (
        "capacity.number_inactive",
        lambda profile: replace(profile, number=replace(NUMBER, outbound=False, active=False)),
    ),
    ("capacity.number_not_outbound", lambda profile: replace(profile, number=replace(NUMBER, outbound=False))),
]
NO_OUTBOUND = CapacityProfile("Chat", active=True, outbound_profiles=())
INACTIVE = CapacityProfile("Old", active=False, outbound_profiles=(OUTBOUND,))


@pytest.mark.parametrize("profiles", [(PROFILE, INACTIVE), (INACTIVE, PROFILE), (NO_OUTBOUND, INACTIVE, PROFILE)])
def test_one_whole_path_among_profiles_is_enough(profiles: tuple[CapacityProfile, ...]) -> None:
    assert codes(capacity_profile.check(replace(AGENT, profiles=profiles, inactive_links=3))) == []


@pytest.mark.parametrize("breaks", [breaks for _, breaks in DISTANCES])
def test_one_whole_path_among_outbound_profiles_is_enough(
    breaks: Callable[[OutboundProfile], OutboundProfile],
) -> None:
    for outbound in ((breaks(OUTBOUND), OUTBOUND), (OUTBOUND, breaks(OUTBOUND))):
        assert codes(capacity_profile.check(with_outbound(*outbound))) == []


@pytest.mark.parametrize("nearer", range(len(DISTANCES) - 1))
def test_the_path_that_comes_furthest_is_named(nearer: int) -> None:
    _, near = DISTANCES[nearer]
    code, far = DISTANCES[nearer + 1]
    far_one, near_one = replace(far(OUTBOUND), name="far"), replace(near(OUTBOUND), name="near")
    for agent in (with_outbound(near_one, far_one), with_outbound(far_one, near_one)):
        (finding,) = capacity_profile.check(agent)
        assert finding.code == code
        assert "> outbound profile far: " in finding.evidence


@pytest.mark.parametrize(
    ("profiles", "code", "evidence"),
    [
        ((INACTIVE, NO_OUTBOUND), "capacity.no_outbound_profile", "capacity profile Chat: 0 work streams"),
        ((NO_OUTBOUND, INACTIVE), "capacity.no_outbound_profile", "capacity profile Chat: 0 work streams"),
        ((INACTIVE, replace(INACTIVE, name="Older")), "capacity.profile_inactive", "capacity profile Old: Inactive"),
    ],
)
def test_the_furthest_capacity_profile_is_named(
    profiles: tuple[CapacityProfile, ...], code: str, evidence: str
) -> None:
    (finding,) = capacity_profile.check(replace(AGENT, profiles=profiles))
    assert (finding.code, finding.evidence) == (code, evidence)


def test_several_broken_links_of_one_path_name_the_first() -> None:
    all_broken = OutboundProfile("x", active=False, outbound=False, voice=False, has_channel=False, number=None)
    assert codes(capacity_profile.check(with_outbound(all_broken))) == ["capacity.not_outbound"]


NUMBERS = st.none() | st.builds(PhoneNumber, st.just("+12025550101"), st.booleans(), st.sampled_from(Carrier))
OUTBOUNDS = st.builds(OutboundProfile, st.text(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), NUMBERS)
PROFILES = st.builds(CapacityProfile, st.text(), st.booleans(), st.lists(OUTBOUNDS, max_size=3).map(tuple))


@given(st.lists(PROFILES, max_size=3).map(tuple), st.sampled_from([None, False, True]), st.integers(0, 2))
def test_a_capacity_finding_says_that_no_path_is_whole(
    profiles: tuple[CapacityProfile, ...], has_resource: bool | None, inactive_links: int
) -> None:
    agent = replace(AGENT, profiles=profiles, has_resource=has_resource, inactive_links=inactive_links)
    whole = bool(has_resource) and any(
        profile.active and any(outbound.works for outbound in profile.outbound_profiles) for profile in profiles
    )
    assert len(codes(capacity_profile.check(agent))) == (0 if whole else 1)


# P2: the location


def test_the_browsers_location_is_unknown_even_in_a_supported_country() -> None:
    (finding,) = location.check(AGENT)
    assert (finding.code, finding.severity) == ("location.not_attested", Severity.UNKNOWN)
    assert finding.evidence == "0 location checks; country US"


@pytest.mark.parametrize(("told", "evidence"), [("France", "France"), ("", "none given")])
def test_an_unsupported_country_is_told_as_dynamics_has_it(told: str, evidence: str) -> None:
    finding, _ = location.check(replace(AGENT, country=None, country_told=told))
    assert (finding.code, finding.severity) == ("location.country_unsupported", Severity.ERROR)
    assert finding.evidence == f"country of number or address: {evidence}"


# P3: the mailbox


def test_each_wrong_thing_of_a_mailbox_is_told() -> None:
    nothing = Mailbox(
        active=False, server_side=False, outgoing_enabled=False, tested=False, test_succeeded=False, approved=False
    )
    assert codes(mailbox.check(replace(AGENT, mailbox=nothing))) == [
        "mailbox.inactive",
        "mailbox.not_server_side",
        "mailbox.outgoing_disabled",
        "mailbox.not_approved",
        "mailbox.not_tested",
    ]


# P4: the number


def test_an_agent_without_any_number_is_told_so_alone() -> None:
    assert codes(number.check(replace(AGENT, profiles=()), routed(r"^\+?\d+$", trunks=0))) == ["number.none"]


def test_the_personal_number_goes_before_the_profiles() -> None:
    assert ON_DIRECT_ROUTING.number == DIRECT
    assert AGENT.number == NUMBER


def test_the_number_of_the_first_working_profile_is_taken() -> None:
    broken = replace(OUTBOUND, voice=False, number=DIRECT)
    assert with_outbound(broken, OUTBOUND).number == NUMBER
    inactive = replace(PROFILE, active=False, outbound_profiles=(replace(OUTBOUND, number=DIRECT),))
    assert replace(AGENT, profiles=(inactive, PROFILE)).number == NUMBER


@pytest.mark.parametrize("own", [NUMBER, DIRECT])
def test_a_personal_number_that_cannot_make_calls_is_none_to_call_from(own: PhoneNumber) -> None:
    agent = replace(AGENT, personal_number=replace(own, outbound=False), profiles=())
    found = [finding for finding in number.check(agent, ACS) if finding.severity is Severity.ERROR]
    assert [finding.code.split(".")[0] for finding in found] == ["number"]


@pytest.mark.parametrize("calling", ["outbound", "inbound+outbound"])
def test_a_calling_plan_number_that_makes_calls_is_enough(calling: str) -> None:
    acs = AcsFacts({PURCHASED.number: replace(PURCHASED, calling=calling)}, Routing(0, ()))
    assert codes(number.check(AGENT, acs)) == []


@pytest.mark.parametrize("calling", ["none", "inbound"])
def test_a_calling_plan_number_that_makes_none_is_not(calling: str) -> None:
    acs = AcsFacts({PURCHASED.number: replace(PURCHASED, calling=calling)}, Routing(0, ()))
    assert codes(number.check(AGENT, acs)) == ["number.no_outbound"]


def test_a_rule_that_takes_the_call_from_the_calling_plan_is_a_warning() -> None:
    (finding,) = number.check(AGENT, routed(r"^911$"))
    assert (finding.code, finding.severity) == ("routing.catches_calling_plan", Severity.WARNING)
    assert check(AGENT, routed(r"^911$")).ready


def test_a_third_party_carrier_is_always_a_warning() -> None:
    for acs in (ACS, routed(r"^911$"), AcsFacts({}, Routing(0, ()))):
        (found,) = (
            finding for finding in number.check(ON_DIRECT_ROUTING, acs) if finding.code == "carrier.third_party"
        )
        assert found.severity is Severity.WARNING
    assert "carrier.third_party" not in codes(number.check(AGENT, ACS))


def test_direct_routing_needs_a_purchased_number_that_makes_calls() -> None:
    only_inbound = replace(ACS, purchased={PURCHASED.number: replace(PURCHASED, calling="inbound")})
    assert errors(ON_DIRECT_ROUTING, only_inbound) == ["routing.no_purchased_number"]
    another = replace(PURCHASED, number="+12025550199", calling="outbound")
    assert errors(ON_DIRECT_ROUTING, replace(ACS, purchased={another.number: another})) == []


def test_everything_wrong_with_direct_routing_is_told() -> None:
    acs = AcsFacts({}, Routing(0, (Route("all", ".*"),)))
    assert codes(number.check(ON_DIRECT_ROUTING, acs)) == [
        "routing.no_trunk",
        "routing.no_purchased_number",
        "routing.catches_emergency",
        "carrier.third_party",
    ]


# Routes


@pytest.mark.parametrize(
    "pattern",
    [
        r"^911$",
        r"^\+911$",
        r"^\+?911$",
        r"^\+?\d+$",
        r"^\+?[0-9]{3,15}$",
        r".*",
        r"",
        r"11",
        r"9",
        r"\+9",
        r"1$",
        r"^9(11|33)$",
        r"\d",
    ],
)
def test_a_rule_that_catches_the_number_anywhere_matches(pattern: str) -> None:
    assert may_match(Route("r", pattern), "911")


@pytest.mark.parametrize(
    "pattern",
    [r"^\+1[2-9]\d{9}$", r"^\+[1-9]\d{6,14}$", r"^112$", r"^99", r"\+123[0-9]+", r"^\d{4,}$", r"^11", r"911\d"],
)
def test_a_rule_for_other_numbers_does_not(pattern: str) -> None:
    assert not may_match(Route("r", pattern), "911")


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<name>\d",
        r"(?<long>\d{9})",
        r"\p{Nd}{9}",
        r"(",
        r"[",
        r"*",
        r"\z",
        "\\",
        "a{99999999999999999999}",
        "(" * 500 + ")" * 500,
        "(?:" * 300 + ")" * 300,
    ],
)
def test_a_rule_that_python_cannot_read_may_match(pattern: str) -> None:
    assert may_match(Route("r", pattern), "911")


@pytest.mark.parametrize("pattern", [r"^[0-9-[5]]+$", r"^[\d-[02-8]]{3}$"])
def test_a_rule_that_net_reads_differently_may_match(pattern: str) -> None:
    assert may_match(Route("r", pattern), "911")


@given(st.text(max_size=30) | st.from_regex(r"[\^]?[\\+?0-9\[\](){},|d*$-]{0,20}", fullmatch=True))
@example("[[a]")
@example("[0--9]")
@example("[a||b]")
@example("(?i)9(?i)")
def test_no_pattern_raises(pattern: str) -> None:
    assert may_match(Route("r", pattern), "911") in (True, False)


def test_the_first_rule_in_order_is_named_for_each_number() -> None:
    agent = replace(ON_DIRECT_ROUTING, country=MAPPINGS.countries["GB"])
    found = {finding.code: finding for finding in number.check(agent, routed("^911$", "^112$", "^1", ".*"))}
    assert found["routing.catches_emergency"].evidence == (
        "999: rule 4 of 4, rule 4 (.*); 112: rule 2 of 4, rule 2 (^112$)"
    )


def test_only_numbers_of_the_agents_country_count() -> None:
    assert errors(ON_DIRECT_ROUTING, routed("^999$", "^112$")) == []
    danish = replace(ON_DIRECT_ROUTING, country=MAPPINGS.countries["DK"])
    assert errors(danish, routed("^112$")) == ["routing.catches_emergency"]
    assert errors(danish, routed("^911$")) == []


# Recipients


def test_invalid_entries_are_counted_not_quoted() -> None:
    (finding,) = recipients.check(replace(AGENT, recipients=parse("lead@example.com; Bob's handler; 555")))
    assert (finding.code, finding.severity) == ("recipients.invalid", Severity.WARNING)
    assert finding.evidence == "2 of 3 entries"


def test_only_invalid_entries_are_nobody_to_tell() -> None:
    assert codes(recipients.check(replace(AGENT, recipients=parse("Bob's handler")))) == [
        "recipients.none",
        "recipients.invalid",
    ]


# P2: what the browser says

ATTESTED = LocationCheck(NOW, "granted", "precise", MAPPINGS.countries["US"], "US", expired=False)


@pytest.mark.parametrize(
    ("attested", "expected"),
    [
        (ATTESTED, []),
        (replace(ATTESTED, accuracy="unknown"), []),
        (replace(ATTESTED, expired=True), ["location.expired"]),
        (replace(ATTESTED, permission="denied"), ["location.denied"]),
        (replace(ATTESTED, permission="prompt"), ["location.not_allowed_yet"]),
        (replace(ATTESTED, country=None, country_told=""), ["location.country_not_found"]),
        (replace(ATTESTED, country=None, country_told="FR"), ["location.browser_country_unsupported"]),
        (replace(ATTESTED, country=MAPPINGS.countries["PR"], country_told="PR"), ["location.other_country"]),
        (replace(ATTESTED, accuracy="coarse"), ["location.coarse"]),
        (replace(ATTESTED, permission="denied", expired=True), ["location.expired"]),
    ],
)
def test_each_state_of_a_location_check_has_its_code(attested: LocationCheck, expected: list[str]) -> None:
    assert codes(location.check(replace(AGENT, location_check=attested))) == expected


def test_an_address_abroad_is_outweighed_by_the_browser() -> None:
    abroad = replace(AGENT, address_elsewhere="Germany")
    assert codes(location.check(abroad)) == ["location.address_unsupported", "location.not_attested"]
    assert codes(location.check(replace(abroad, location_check=ATTESTED))) == []
    old = replace(ATTESTED, expired=True)
    assert codes(location.check(replace(abroad, location_check=old))) == [
        "location.address_unsupported",
        "location.expired",
    ]


# Callback numbers


@pytest.mark.parametrize(
    ("pool", "country", "expected"),
    [
        ({"US": (2, 1)}, "US", []),
        ({"US": (2, 0)}, "US", ["pool.all_taken"]),
        ({"US": (0, 0)}, "US", ["pool.empty"]),
        ({}, "GB", ["pool.empty"]),
        ({"US": (2, 1)}, "PR", []),
        ({"PR": (1, 0), "US": (2, 1)}, "PR", []),
        ({"GB": (2, 2)}, "US", ["pool.empty"]),
        (None, "US", []),
    ],
)
def test_the_pool_is_judged_by_the_agents_country(
    pool: dict[str, tuple[int, int]] | None, country: str, expected: list[str]
) -> None:
    agent = replace(AGENT, country=MAPPINGS.countries[country])
    assert codes(callback.check(agent, replace(ORGANISATION, pool=pool))) == expected
    left = replace(ORGANISATION, pool=pool, left_to_dynamics=frozenset({"callback_number"}))
    assert codes(callback.check(agent, left)) == []


# The organisation

TEMPLATE = TemplateFacts("Emergency", "Call", "<p>Call.</p>", "systemuser")
BOTH = '<xsl:value-of select="emergencycall/callbacknumber"/> <xsl:value-of select="emergencycall/location"/>'


def stylesheet(content: str) -> str:
    space = "http://www.w3.org/1999/XSL/Transform"
    return (
        f'<xsl:stylesheet xmlns:xsl="{space}" version="1.0"><xsl:output method="text"/>'
        f'<xsl:template match="/data">{content}</xsl:template></xsl:stylesheet>'
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, ["template.missing"]),
        (TEMPLATE, ["template.standard_block"]),
        (replace(TEMPLATE, body=stylesheet(BOTH)), []),
        (replace(TEMPLATE, body=stylesheet(BOTH.partition(" <")[0])), ["template.standard_block"]),
        (replace(TEMPLATE, body=stylesheet("<xsl:value-of select='((('/>")), ["template.broken"]),
        (
            replace(TEMPLATE, subject=stylesheet("<xsl:value-of select=')'/>"), body=stylesheet(BOTH)),
            ["template.broken"],
        ),
    ],
)
def test_the_template_is_judged_once(found: TemplateFacts | None, expected: list[str]) -> None:
    assert codes(template.check_organisation(replace(ORGANISATION, template=found))) == expected


def test_a_template_that_fails_for_one_agent_only_is_told_for_that_one() -> None:
    stops = '<xsl:if test="systemuser/address1_city = \'Bremen\'"><xsl:message terminate="yes"/></xsl:if>'
    facts = replace(ORGANISATION, template=replace(TEMPLATE, body=stylesheet(stops + BOTH)))
    assert codes(template.check_organisation(facts)) == []
    assert codes(template.check(replace(AGENT, attributes={"address1_city": "Bremen"}), facts)) == [
        "template.broken_for_agent"
    ]
    assert codes(template.check(replace(AGENT, attributes={"address1_city": "Boston"}), facts)) == []
    assert codes(template.check(AGENT, facts)) == []


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("alerts@calls.example.com", []),
        ("", ["sender.missing"]),
        ("DoNotReply@0a1b.AzureComm.net", ["sender.azure_managed"]),
        (None, []),
    ],
)
def test_the_sender_is_judged(sender: str | None, expected: list[str]) -> None:
    facts = replace(ORGANISATION, sender=sender, fallback_recipients=True)
    assert codes(own_settings.check_organisation(facts)) == expected
    left = replace(facts, fallback_recipients=False, left_to_dynamics=frozenset({"notification"}))
    assert codes(own_settings.check_organisation(left)) == []
    assert "recipients.no_fallback" in codes(own_settings.check_organisation(replace(facts, fallback_recipients=False)))


STEP = StepFacts("Dialled", "dialled", enabled=True, host="our.example")
END = StepFacts("Ended", "ended", enabled=True, host="our.example")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, ["webhook.not_checked"]),
        (WebhookFacts(refused="403"), ["webhook.not_readable"]),
        (WebhookFacts((STEP, END)), []),
        (WebhookFacts(), ["webhook.no_dial_step", "webhook.no_end_step"]),
        (WebhookFacts((STEP,)), ["webhook.no_end_step"]),
        (WebhookFacts((replace(STEP, enabled=False), END)), ["webhook.step_disabled"]),
        (WebhookFacts((replace(STEP, enabled=False), STEP, END)), []),
        (WebhookFacts((replace(STEP, failures=2, last_failure="2026-03-01"), END)), ["webhook.failing"]),
    ],
)
def test_each_state_of_the_webhook_has_its_code(found: WebhookFacts | None, expected: list[str]) -> None:
    facts = replace(ORGANISATION, webhook=found, public_host="our.example")
    assert codes(webhook.check_organisation(facts)) == expected


def test_a_step_that_leads_elsewhere_is_none_of_ours() -> None:
    steps = WebhookFacts((replace(STEP, host="else.example", failures=2), END))
    facts = replace(ORGANISATION, webhook=steps, public_host="our.example")
    (found,) = webhook.check_organisation(facts)
    assert found.code == "webhook.no_dial_step"
    assert "step Dialled leads to else.example" in found.evidence
    assert "Ended" not in found.evidence


def test_without_an_address_of_ours_the_steps_hosts_are_told() -> None:
    (found,) = webhook.check_organisation(replace(ORGANISATION, webhook=WebhookFacts((STEP, END))))
    assert (found.code, found.severity) == ("webhook.not_compared", Severity.UNKNOWN)
    assert "our.example" in found.evidence


def test_tables_are_named_once_for_each_code() -> None:
    tables = (
        TableState("a", NOW),
        TableState("b", None),
        TableState("c", NOW - timedelta(days=2)),
        TableState("d", None, (("sync.table_missing", "d is missing"),)),
        TableState("e", NOW, (("sync.column_missing", "x of e"), ("sync.not_tracked", "e is not"))),
        TableState("f", NOW, (("sync.column_missing", "y of f"),)),
    )
    found = {
        finding.code: finding for finding in directory_state.check_organisation(replace(ORGANISATION, tables=tables))
    }
    assert {code: finding.evidence for code, finding in found.items()} == {
        "sync.table_missing": "d is missing",
        "sync.column_missing": "x of e; y of f",
        "sync.not_tracked": "e is not",
        "directory.never_read": "b",
        "directory.old": "c: 2026-02-28 10:00 UTC",
    }
    assert found["sync.column_missing"].severity is Severity.ERROR
