"""Dataverse's service protection limits: obeyed exactly, told apart, and best never met. No pause is really waited."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from connector import logs
from connector.assembly import Connector
from connector.dataverse.responses import LONGEST_BREATHER
from connector.errors import RetryLater
from connector.sandbox import Sandbox
from connector.sandbox.faults import Fault
from tests.integration.syncing import assert_same, connected, impatient, requests_for

LIMITS = {"0x80072322": "requests in five minutes", "0x80072321": "execution time", "0x80072326": "the same time"}


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path, waits: list[float]) -> Iterator[Connector]:
    with connected(sandbox, tmp_path) as made:
        impatient(made, waits)
        yield made


def refusal(code: str, seconds: str, path: str = "systemusers", times: int = 1) -> Fault:
    body = json.dumps({"error": {"code": code, "message": "Number of requests exceeded the limit."}})
    return Fault(status=429, headers={"Retry-After": seconds}, body=body, path=path, times=times)


@pytest.mark.parametrize(("code", "told"), LIMITS.items())
def test_the_three_limits_are_told_apart(
    sandbox: Sandbox, connector: Connector, waits: list[float], code: str, told: str
) -> None:
    lines = io.StringIO()
    logs.configure(level="info", stream=lines)
    sandbox.faults.add("dataverse", refusal(code, "4"))
    connector.sync()
    logs.configure(level="critical")
    assert waits == [4]
    entries = [json.loads(line) for line in lines.getvalue().splitlines()]
    (waited,) = [entry for entry in entries if entry["event"] == "dataverse_waits"]
    assert waited["code"] == code
    assert waited["seconds"] == 4
    assert told in waited["problem"]


def test_a_limit_that_never_ends_is_named_in_the_error(
    sandbox: Sandbox, connector: Connector, waits: list[float]
) -> None:
    sandbox.faults.add("dataverse", refusal("0x80072321", "300", times=0))
    with pytest.raises(RetryLater, match="execution time") as raised:
        connector.sync()
    assert raised.value.code == "0x80072321"
    assert waits == [300] * 7


def test_retry_after_may_be_a_date(sandbox: Sandbox, connector: Connector, waits: list[float]) -> None:
    until = datetime.now(UTC) + timedelta(seconds=125)
    headers = {"Retry-After": format_datetime(until, usegmt=True)}
    sandbox.faults.add("dataverse", Fault(status=503, headers=headers, path="systemusers"))
    connector.sync()
    assert waits == [pytest.approx(125, abs=3)], "counted from the date of the answer"


@pytest.mark.parametrize("nonsense", ["nan", "inf", "-3", "soon"])
def test_a_retry_after_that_means_nothing_is_a_short_random_pause(
    sandbox: Sandbox, connector: Connector, waits: list[float], nonsense: str
) -> None:
    sandbox.faults.add("dataverse", refusal("0x80072322", nonsense))
    connector.sync()
    assert len(waits) == 1
    assert 0 <= waits[0] <= 30


def test_the_real_limit_is_met_and_obeyed(sandbox: Sandbox, connector: Connector) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        sandbox.clock.advance(seconds)

    connector.dataverse._sleep = sleep
    sandbox.dataverse.options.page_size = 10
    sandbox.dataverse.options.request_limit = 20
    connector.sync()
    assert_same(sandbox, connector)
    seen = sandbox.faults.log("dataverse")
    refused = [(one.at, after.at) for one, after in pairwise(seen) if one.status == 429]
    assert refused
    assert all(after - at >= timedelta(seconds=1) for at, after in refused), "nothing is sent while it says to wait"
    assert max(slept) > LONGEST_BREATHER


def test_reads_slow_down_before_the_limit(sandbox: Sandbox, connector: Connector, waits: list[float]) -> None:
    sandbox.dataverse.options.page_size = 20
    rows = '{"value": [], "@odata.nextLink": "%s/api/data/v9.2/presences?$skiptoken=%d"}'
    spent = (("6000", "1200"), ("601", "1200"), ("300", "1200"), ("6000", "12"), ("0", "1200"), ("nonsense", ""))
    for number, (requests, seconds) in enumerate(spent):
        headers = {
            "x-ms-ratelimit-burst-remaining-xrm-requests": requests,
            "x-ms-ratelimit-time-remaining-xrm-requests": seconds,
        }
        body = rows % (sandbox.info.dataverse_url, number)
        sandbox.faults.add("dataverse", Fault(status=200, path="presences", headers=headers, body=body))
    sandbox.faults.add("dataverse", Fault(status=200, path="presences", body='{"value": []}'))
    pages = list(connector.dataverse.pages("presences", (), prefer=""))
    assert len(pages) == 7
    assert waits == pytest.approx([LONGEST_BREATHER * share for share in (0.5, 0.9, 1.0)])


def test_a_storm_costs_time_but_no_row(sandbox: Sandbox, connector: Connector, waits: list[float]) -> None:
    sandbox.dataverse.options.page_size = 10
    chance = random.Random(429)
    wished = []
    for _ in range(60):
        path = chance.choice(("systemusers", "mailboxes", "bookableresources", "presences", "skiptoken"))
        if chance.random() < 0.3:
            sandbox.faults.add("dataverse", Fault(cut=chance.choice(("before", "after")), path=path))
        else:
            wished.append(float(chance.randint(1, 90)))
            sandbox.faults.add("dataverse", refusal(chance.choice(list(LIMITS)), f"{wished[-1]:g}", path))
    for _ in range(30):
        try:
            connector.sync()
        except RetryLater:
            continue
        break
    obeyed = [wait for wait in waits if wait >= 1 and float(wait).is_integer()]
    assert not Counter(obeyed) - Counter(wished), "waited as long as asked, neither longer nor shorter"
    assert len(obeyed) > len(wished) / 2
    sandbox.faults.clear()
    connector.sync()
    assert_same(sandbox, connector)


def test_a_cut_connection_is_tried_again_for_reads(sandbox: Sandbox, connector: Connector, waits: list[float]) -> None:
    sandbox.faults.add("dataverse", Fault(cut="after", path="systemusers", times=2))
    connector.sync()
    assert len(waits) == 2
    assert_same(sandbox, connector)


def test_a_cut_connection_is_not_tried_again_for_writes(
    sandbox: Sandbox, connector: Connector, waits: list[float]
) -> None:
    connector.sync()
    mapping = connector.mappings.tables["agents"]
    agent_id = sandbox.organisation.agent_ids[0]
    row = connector.dataverse.get(f"{mapping.set}({agent_id})?$select={mapping.id}")
    sandbox.faults.clear_log()
    sandbox.faults.add("dataverse", Fault(cut="after", method="PATCH"))
    with pytest.raises(RetryLater):
        connector.dataverse.update(mapping.set, agent_id, {"title": "Nurse"}, etag=row["@odata.etag"])
    assert len(requests_for(sandbox, agent_id)) == 1
    assert waits == []
