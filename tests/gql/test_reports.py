"""Locked reports through the API."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.models import ChargeSession
from gql.ids import global_id
from tests import factories
from tests.factories import Town
from tests.gql.asking import Api, installation_id

pytestmark = pytest.mark.usefixtures("database")

OWNER = "OWNER of installation"
LOCK = """
mutation ($input: LockReportInput!) {
  lockReport(input: $input) {
    ... on LockedReportSuccess { lockedReport { id revision sha256 } }
    ... on UserError { code path message }
  }
}
"""
SHOW = """
query ($id: ID!) {
  node(id: $id) {
    ... on LockedReport {
      installation { name } revision basis lockedAt lockedBy sha256 document
      period { from to startAt endAt }
      total { sessionCount energyKwh }
      summary { groupBy timeZone rows(first: 10) { nodes { labels user { name } usage { energyKwh } } } coverage { isComplete } }
      correctionTotal { energyKwh }
      correctionLines(first: 10) { totalCount nodes { period { from } row { labels usage { energyKwh sessionCount } } } }
      correctionCount
      corrections(first: 10) { totalCount nodes { id energyKwh } }
    }
  }
}
"""


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


async def lock(town: Town, since: str, until: str, **further: object) -> dict[str, Any]:
    given = {"installationId": installation_id(town.site.id), "period": {"from": since, "to": until}, **further}
    data = await Api().data(await town.access(OWNER), LOCK, {"input": given})
    found: dict[str, Any] = data["lockReport"]
    return found


async def test_a_report_is_locked_read_and_corrected(town: Town) -> None:
    """What it says stays; what changed since is counted, and in the lines of the next one."""
    kari = town.people["USER of charger"]
    start = datetime(2026, 1, 3, 9, tzinfo=UTC)
    session = await factories.a_session(
        town.site,
        town.charger_id,
        user_id=kari,
        user_name="Kari",
        started_at=start,
        ended_at=start + timedelta(hours=1),
        energy_wh=1_000,
    )
    january = (await lock(town, "2026-01-01", "2026-02-01", groupBy=["USER"]))["lockedReport"]
    await ChargeSession.filter(id=session).update(energy_wh=1_200)
    february = (await lock(town, "2026-02-01", "2026-03-01", groupBy=["USER"]))["lockedReport"]
    owner = await town.access(OWNER)
    shown = (await Api().data(owner, SHOW, {"id": january["id"]}))["node"]
    document = shown.pop("document")
    assert hashlib.sha256(document.encode()).hexdigest() == january["sha256"] == json.loads(json.dumps(shown))["sha256"]
    assert shown == {
        "installation": {"name": "Fjordveien garage"},
        "revision": 1,
        "basis": "REGISTERED",
        "lockedAt": "2026-03-01T12:00:00Z",
        "lockedBy": OWNER,
        "sha256": january["sha256"],
        "period": {
            "from": "2026-01-01",
            "to": "2026-02-01",
            "startAt": "2025-12-31T23:00:00Z",
            "endAt": "2026-01-31T23:00:00Z",
        },
        "total": {"sessionCount": 1, "energyKwh": "1.000"},
        "summary": {
            "groupBy": ["USER"],
            "timeZone": "Europe/Oslo",
            "rows": {
                "nodes": [{"labels": ["Kari"], "user": {"name": "USER of charger"}, "usage": {"energyKwh": "1.000"}}]
            },
            "coverage": {"isComplete": False},
        },
        "correctionTotal": {"energyKwh": "0.000"},
        "correctionLines": {"totalCount": 0, "nodes": []},
        "correctionCount": 1,
        "corrections": {
            "totalCount": 1,
            "nodes": [{"id": global_id("ChargeSession", session), "energyKwh": "1.200"}],
        },
    }
    next_one = (await Api().data(owner, SHOW, {"id": february["id"]}))["node"]
    assert next_one["correctionTotal"] == {"energyKwh": "0.200"}
    assert next_one["correctionLines"]["nodes"] == [
        {
            "period": {"from": "2026-01-01"},
            "row": {"labels": ["Kari"], "usage": {"energyKwh": "0.200", "sessionCount": 0}},
        }
    ]


async def test_a_locked_period_is_not_locked_again(town: Town) -> None:
    """Unless as a revision."""
    await lock(town, "2026-01-01", "2026-02-01")
    refused = await lock(town, "2026-01-01", "2026-02-01")
    assert (refused["code"], refused["path"]) == ("PERIOD_LOCKED", ["period"])
    revised = await lock(town, "2026-01-01", "2026-02-01", asRevision=True)
    assert revised["lockedReport"]["revision"] == 2


@pytest.mark.parametrize(
    ("since", "until", "path"),
    [
        ("2026-02-01", "2026-01-01", ["period", "to"]),
        ("1900-01-01", "1950-01-01", ["period", "from"]),
        ("1975-01-01", "2025-01-01", ["period"]),
        ("2026-03-01", "2026-03-02", ["period", "to"]),
    ],
)
async def test_a_wrong_period_is_refused(town: Town, since: str, until: str, path: list[str]) -> None:
    """One that ends before it begins, lies before everything, lasts 50 years, or is not over."""
    refused = await lock(town, since, until)
    assert (refused["code"], refused["path"]) == ("INVALID", path)


async def test_an_empty_report_says_why(town: Town) -> None:
    """Also years later, when there are sessions."""
    report = (await lock(town, "2026-01-01", "2026-02-01"))["lockedReport"]
    start = datetime(2026, 1, 3, tzinfo=UTC)
    await factories.a_session(town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=1))
    asked = "query ($id: ID!) { node(id: $id) { ... on LockedReport { summary { emptyBecause { reason text } } } } }"
    shown = await Api().data(await town.access(OWNER), asked, {"id": report["id"]})
    assert shown["node"]["summary"]["emptyBecause"] == {
        "reason": "NO_SESSIONS",
        "text": "There are no ended sessions here yet.",
    }


SCHEDULE = """
mutation ($input: CreateReportScheduleInput!) {
  createReportSchedule(input: $input) {
    ... on ReportScheduleSuccess {
      reportSchedule {
        id installation { name } kind format basis groupBy isPerPerson recipients nextAt
        deliveries { recipient state at error period { from to } }
      }
    }
    ... on UserError { code path message }
  }
}
"""


async def test_a_schedule_is_made_shown_and_removed(town: Town) -> None:
    """Its addresses in the form in which they are compared, each once."""
    owner = await town.access(OWNER)
    given = {
        "installationId": installation_id(town.site.id),
        "recipients": ["Manager@Example.com", "manager@example.com"],
    }
    made = (await Api().data(owner, SCHEDULE, {"input": given}))["createReportSchedule"]["reportSchedule"]
    assert {**made, "id": ""} == {
        "id": "",
        "installation": {"name": "Fjordveien garage"},
        "kind": "SUMMARY",
        "format": "XLSX",
        "basis": "REGISTERED",
        "groupBy": ["CHARGER"],
        "isPerPerson": False,
        "recipients": ["manager@example.com"],
        "nextAt": "2026-04-01T04:00:00Z",
        "deliveries": [],
    }
    listed = "query ($id: ID!) { node(id: $id) { ... on Installation { reportSchedules { id } } } }"
    shown = await Api().data(owner, listed, {"id": given["installationId"]})
    assert shown["node"]["reportSchedules"] == [{"id": made["id"]}]
    remove = "mutation ($id: ID!) { removeReportSchedule(input: {id: $id}) { ... on RemoveSuccess { removedId } } }"
    assert (await Api().data(owner, remove, {"id": made["id"]}))["removeReportSchedule"] == {"removedId": made["id"]}
    shown = await Api().data(owner, listed, {"id": given["installationId"]})
    assert shown["node"]["reportSchedules"] == []


async def test_a_wrong_address_is_named_by_its_place(town: Town) -> None:
    """A line break would be a header of somebody else's."""
    given = {
        "installationId": installation_id(town.site.id),
        "recipients": ["a@example.com", "b@example.com\nBcc: c@example.com"],
    }
    refused = (await Api().data(await town.access(OWNER), SCHEDULE, {"input": given}))["createReportSchedule"]
    assert (refused["code"], refused["path"]) == ("INVALID", ["recipients", "1"])
