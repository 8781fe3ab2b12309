"""The HTML report as a browser shows it: headline, charts, the filter, and that hostile names stay text."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from connector.prerequisites.findings import error, unknown, warning
from connector.prerequisites.report import AgentReport, Validation
from connector.reports import as_html
from tests.browser import chromium
from tests.ci import needs

pytestmark = needs(chromium.find(), f"no browser: install one of {', '.join(chromium.NAMES)} to test the report in it")

HOSTILE = "</td></tr><img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
REPORTS = (
    AgentReport("1", "Ann Ready", "US", (unknown("location.not_attested", "unseen", "check", "0 checks"),)),
    AgentReport(
        "2", "Bo Boxless", "DK", (error("mailbox.missing", "has no mailbox", "give one", "user bo@example.com"),)
    ),
    AgentReport("3", HOSTILE, "US", (error("capacity.no_profile", HOSTILE, HOSTILE, HOSTILE),)),
    AgentReport("4", "Dee Direct", "DK", (warning("carrier.third_party", "a carrier", "agree", "number +4510000000"),)),
    AgentReport("5", "Eve Nowhere", None, (error("location.country_unsupported", "abroad", "correct", "Germany"),)),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    with file.open("w", encoding="utf-8") as to:
        organisation = (error("sender.missing", "no sender is set", "set it", "not set"),)
        names = {"US": "United States", "DK": "Denmark"}
        at = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
        as_html.write(Validation(organisation, iter(REPORTS)), to, at=at, countries=names)
    return file


def opened(report: Path, tmp_path: Path, fragment: str = "") -> Any:
    """The page's tree, as the browser has it. Any: lxml's elements."""
    return html.document_fromstring(chromium.dump_dom(tmp_path / "profile", f"{report.as_uri()}{fragment}"))


def shown(page: Any) -> list[str]:
    rows = page.xpath("//table[@id='findings']/tbody/tr[not(@hidden)]")
    return [row.xpath("string(td[1])") for row in rows]


def test_headline_charts_and_table_are_there(report: Path, tmp_path: Path) -> None:
    page = opened(report, tmp_path, "#severity=")
    assert page.xpath("string(//*[@class='big'])") == "2 of 5 agents can call for help right now"
    assert page.xpath("string(//*[@class='everybody'])") == "Concerns everybody: no sender is set (sender.missing)."
    countries = page.xpath("//section[@id='by-country']//*[@class='bar']")
    assert [bar.xpath("string(*[last()])") for bar in countries] == ["1 of 2", "1 of 2", "0 of 1"]
    prerequisites = page.xpath("//section[@id='by-prerequisite']//*[@class='bar']")
    told = {bar.xpath("string(*[1])"): bar.xpath("string(*[last()])") for bar in prerequisites}
    assert told["Mailbox"] == "1 broken"
    assert told["Carrier"] == "1 to look at"
    assert told["Template"] == "all met"
    assert len(page.xpath("//table[@id='causes']/tbody/tr")) == 6
    assert shown(page) == ["Everybody", "Ann Ready", "Bo Boxless", HOSTILE, "Dee Direct", "Eve Nowhere"]
    assert page.xpath("string(//*[@id='shown'])") == "6 of 6 shown"
    assert "user bo@example.com" in page.text_content()


@pytest.mark.parametrize(
    ("fragment", "names"),
    [
        ("", ["Everybody", "Bo Boxless", HOSTILE, "Eve Nowhere"]),
        ("#severity=error", ["Everybody", "Bo Boxless", HOSTILE, "Eve Nowhere"]),
        ("#severity=&country=DK", ["Bo Boxless", "Dee Direct"]),
        ("#severity=&country=none", ["Eve Nowhere"]),
        ("#severity=&prerequisite=mailbox", ["Bo Boxless"]),
        ("#text=BOXLESS%20mailbox.missing", ["Bo Boxless"]),
        ("#severity=error&country=US", [HOSTILE]),
        ("#severity=&text=nothing%20like%20this", []),
    ],
)
def test_the_filter_shows_what_fits(report: Path, tmp_path: Path, fragment: str, names: list[str]) -> None:
    page = opened(report, tmp_path, fragment)
    assert shown(page) == names
    assert page.xpath("string(//*[@id='shown'])") == f"{len(names)} of 6 shown"


def test_hostile_names_stay_text(report: Path, tmp_path: Path) -> None:
    page = opened(report, tmp_path)
    assert page.xpath("string(//title)") == "Emergency calling: readiness"
    assert page.xpath("//img") == []
    assert len(page.xpath("//script")) == 1


def test_it_prints(report: Path, tmp_path: Path) -> None:
    printed = chromium.print_pdf(tmp_path / "profile", report.as_uri(), tmp_path / "report.pdf")
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") in (1, 2, 3)
