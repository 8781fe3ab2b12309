"""A validation in every form: complete, readable by its readers, and harmless whatever names and rows hold."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from lxml import etree
from rich.console import Console

from connector.prerequisites.findings import Finding, Severity, error, unknown, warning
from connector.prerequisites.report import AgentReport, Selection, Validation
from connector.prerequisites.summary import Summary
from connector.reports import as_csv, as_html, as_json, as_junit, as_table, charts

NASTY = "<script>alert('x')</script> & \"quotes\" ]]> \x00\x1b[31m =cmd|' /C calc'!A0"
BROKEN = error("mailbox.missing", "has no mailbox", "give an address", "user jane@example.com")
LOOK = warning("carrier.third_party", "a carrier", "agree it", "number +12025550101")
UNSEEN = unknown("location.not_attested", "unseen", "check it", "0 checks")
COUNTRIES = {"US": "United States", "DK": "Denmark"}
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def run(*reports: AgentReport, organisation: tuple[Finding, ...] = ()) -> Validation:
    return Validation(organisation, iter(reports))


def agent(name: str = "Jane Doe", *findings: Finding, country: str | None = "US") -> AgentReport:
    return AgentReport(f"id-{name[:4]}", name, country, findings)


def mixed() -> Validation:
    reports = (
        agent("Jane Doe", BROKEN, UNSEEN),
        agent("Nasty " + NASTY, error("mailbox.inactive", NASTY, NASTY, NASTY), country=None),
        agent("Olaf", LOOK, UNSEEN, country="DK"),
        agent("Perfect"),
    )
    return run(*reports, organisation=(warning("directory.old", "old " + NASTY, "sync", NASTY),))


def html(validation: Validation) -> str:
    to = io.StringIO()
    as_html.write(validation, to, at=AT, countries=COUNTRIES)
    return to.getvalue()


def test_counts_are_the_same_in_every_form() -> None:
    summaries = [
        as_json.write(mixed(), io.StringIO()),
        as_csv.write(mixed(), io.StringIO()),
        as_junit.write(mixed(), io.StringIO()),
        as_table.write(mixed(), Console(file=io.StringIO())),
        as_html.write(mixed(), io.StringIO(), at=AT, countries=COUNTRIES),
    ]
    assert all(summary == summaries[0] for summary in summaries)
    assert (summaries[0].agents, summaries[0].ready, summaries[0].unsure) == (4, 2, 1)
    assert summaries[0].countries == {
        "US": Counter(agents=2, ready=1),
        "": Counter(agents=1, ready=0),
        "DK": Counter(agents=1, ready=1),
    }
    assert summaries[0].prerequisites["location"] == {Severity.UNKNOWN: 2}


@pytest.mark.parametrize(
    ("findings", "limit", "fails"),
    [
        ((), Severity.UNKNOWN, False),
        ((UNSEEN,), Severity.UNKNOWN, True),
        ((UNSEEN,), Severity.WARNING, False),
        ((LOOK, UNSEEN), Severity.WARNING, True),
        ((LOOK, UNSEEN), Severity.ERROR, False),
        ((BROKEN,), Severity.ERROR, True),
        ((BROKEN,), Severity.UNKNOWN, True),
    ],
)
def test_the_limit_decides_what_fails(findings: tuple[Finding, ...], limit: Severity, fails: bool) -> None:
    of_agents, of_all = Summary(), Summary(organisation=findings)
    of_agents.add(agent("Jane", *findings))
    assert (of_agents.fails(limit), of_all.fails(limit)) == (fails, fails)


def filtered() -> Validation:
    """Only carriers were asked for: one of the agents without any finding of them has no mailbox."""
    reports = (AgentReport("1", "Jane", "US", (LOOK,), (BROKEN,)), AgentReport("2", "Olaf", "US", (), (UNSEEN,)))
    nobody = error("sender.missing", "no sender is set", "set it", "not set")
    return Validation((), iter(reports), Selection(codes=("carrier",)), unasked=(nobody,))


def test_what_was_not_asked_for_counts_for_the_headline_and_is_not_listed() -> None:
    page, told, table, lines = html(filtered()), io.StringIO(), io.StringIO(), io.StringIO(newline="")
    as_json.write(filtered(), told)
    as_table.write(filtered(), Console(file=table, width=160))
    as_csv.write(filtered(), lines)
    assert '<span id="ready">1</span> of <span id="agents">2</span>' in page
    assert "Only carrier was asked for" in page
    given = json.loads(told.getvalue())
    assert (given["ready"], given["not_ready"], given["for_everybody"]) == (1, 1, ["sender.missing"])
    assert [entry["ready"] for entry in given["reports"]] == [False, True]
    assert "1 of 2 agents are ready, 1 are not. Concerns everybody: sender.missing." in table.getvalue()
    assert [line["ready"] for line in csv.DictReader(io.StringIO(lines.getvalue(), newline=""))] == ["no", "yes"]
    for text in (page, told.getvalue(), table.getvalue(), lines.getvalue()):
        assert "mailbox.missing" not in text


def test_the_exit_code_is_about_what_was_asked_for() -> None:
    summary = as_csv.write(filtered(), io.StringIO())
    assert not summary.fails(Severity.ERROR)
    assert summary.fails(Severity.WARNING)
    assert (summary.ready, summary.unsure) == (1, 1)


@pytest.mark.parametrize(
    ("finding", "told"),
    [
        (error("webhook.step_disabled", "the step is disabled", "enable it"), True),
        (unknown("directory.never_read", "tables have never been read whole", "sync"), True),
        (warning("directory.old", "old", "sync"), False),
    ],
)
def test_what_is_wrong_for_everybody_stands_beside_the_headline(finding: Finding, told: bool) -> None:
    to = io.StringIO()
    as_table.write(run(agent(), organisation=(finding,)), Console(file=to, width=160))
    head = html(run(agent(), organisation=(finding,))).partition('<div class="charts">')[0]
    assert (f"{finding.message} ({finding.code})" in head) is told
    assert (f"Concerns everybody: {finding.code}" in to.getvalue()) is told


def test_json_is_one_object_with_all_that_was_found() -> None:
    to = io.StringIO()
    as_json.write(mixed(), to)
    told = json.loads(to.getvalue())
    assert (told["agents"], told["ready"], told["not_ready"], len(told["reports"])) == (4, 2, 2, 4)
    assert told["reports"][1]["name"] == "Nasty " + NASTY
    assert told["reports"][0]["findings"][0] == {
        "code": "mailbox.missing",
        "severity": "error",
        "message": "has no mailbox",
        "remedy": "give an address",
        "evidence": "user jane@example.com",
    }
    assert told["codes"]["location.not_attested"] == 2


def test_csv_has_a_line_a_finding_and_runs_nothing_in_a_spreadsheet() -> None:
    to = io.StringIO(newline="")
    as_csv.write(run(agent("=1+1", BROKEN, LOOK), agent("+49", UNSEEN), agent("Perfect")), to)
    lines = list(csv.DictReader(io.StringIO(to.getvalue(), newline="")))
    assert [(line["name"], line["code"], line["ready"]) for line in lines] == [
        ("'=1+1", "mailbox.missing", "no"),
        ("'=1+1", "carrier.third_party", "no"),
        ("'+49", "location.not_attested", "yes"),
        ("Perfect", "", "yes"),
    ]


def test_junit_fails_exactly_the_agents_who_are_not_ready() -> None:
    to = io.StringIO()
    as_junit.write(mixed(), to)
    (suite,) = etree.fromstring(to.getvalue().encode()).iter("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("5", "2")
    failed = [case.get("name", "") for case in suite if case.find("failure") is not None]
    assert [name.split()[0] for name in failed] == ["Jane", "Nasty"]
    assert len(list(suite)) == 5


def test_the_table_shows_the_first_agents_and_counts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_table, "MOST_AGENTS", 2)
    to = io.StringIO()
    as_table.write(run(*(agent(f"Agent {n} [bold]", BROKEN) for n in range(5))), Console(file=to, width=160))
    told = to.getvalue()
    assert "Agent 1 [bold]" in told
    assert "Agent 2" not in told
    assert "3 further agents" in told
    assert "0 of 5 agents are ready, 5 are not." in told


class Tags(HTMLParser):
    """Counts the elements of a page, and what they would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.loads += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]


def test_the_page_is_one_file_that_loads_nothing_and_runs_no_foreign_script() -> None:
    page = html(mixed())
    read = Tags()
    read.feed(page)
    assert read.loads == []
    assert read.tags["script"] == 1
    assert "alert(" not in page.replace("alert(&#x27;", "")
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_the_page_tells_headline_evidence_and_remedy() -> None:
    page = html(mixed())
    assert '<span id="ready">2</span> of <span id="agents">4</span> agents can call for help' in page
    assert "user jane@example.com" in page
    assert "Give an address" in page
    assert "United States" in page


def test_a_page_of_very_many_findings_lists_as_many_as_a_browser_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(as_html.MOST_ROWS, Severity.UNKNOWN, 3)
    page = html(run(*(agent(f"Agent {n}", UNSEEN) for n in range(10))))
    assert page.count('<tr data-severity="unknown"') == 3
    assert "7 further findings of severity unknown" in page


@pytest.mark.parametrize(("ready", "agents", "told"), [(0, 3, "0 %"), (3, 3, "100 %"), (9_999, 10_000, "99 %")])
def test_only_all_is_a_hundred_percent(ready: int, agents: int, told: str) -> None:
    assert f">{told}</text>" in charts.headline(Summary(agents=agents, ready=ready))


def test_reports_are_passed_on_one_by_one() -> None:
    seen: list[int] = []

    def stream() -> Iterator[AgentReport]:
        for number in range(5):
            seen.append(number)
            yield agent(f"Agent {number}", UNSEEN)

    class Watching(io.StringIO):
        def write(self, text: str) -> int:
            if "Agent" in text:
                told.append(len(seen))
            return super().write(text)

    for writer in (as_json.write, as_csv.write):
        seen.clear()
        told: list[int] = []
        writer(Validation((), stream()), Watching())
        assert told == [1, 2, 3, 4, 5], "written before the next one is read"
