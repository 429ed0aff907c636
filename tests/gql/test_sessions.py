"""Sessions, usage, commands and files through the API, as each role sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.ids import new_id
from domain.models import ChargerStatus, ChargeSession, Command, Export
from domain.roles import ExportState, OperatingMode, SessionFlag, SessionState
from gql.ids import global_id
from tests import factories
from tests.factories import NOW, Town
from tests.gql.asking import Api, charger_id, circuit_id, installation_id, user_id

pytestmark = pytest.mark.usefixtures("database")

ROLES = (*factories.PEOPLE, "not signed in")


def session_id(identity: UUID) -> str:
    return global_id("ChargeSession", identity)


async def _world(town: Town) -> dict[str, UUID]:
    """One ended session of each kind, and an active one of nobody known at the charger with the grants."""
    me = town.people["USER of charger"]
    return {
        "own": await factories.a_session(town.site, town.charger_id, user_id=me, user_name="Me"),
        "neighbour's": await factories.a_session(town.site, town.neighbour_id, user_id=town.people["SERVICE"]),
        "elsewhere": await factories.a_session(town.other_site, town.other_charger_id),
        "active": await factories.a_session(
            town.site, town.charger_id, state=SessionState.ACTIVE, started_at=NOW - timedelta(minutes=10)
        ),
    }


SEEN = {
    "USER of charger": {"own"},
    "USER of installation": set(),
    "OWNER of charger": {"own", "active"},
    "OWNER of installation": {"own", "neighbour's", "active"},
    "SERVICE": {"neighbour's"},
    "ADMINISTRATOR": set(),
    "stranger": set(),
    "not signed in": set(),
}

LISTS = """
query ($installation: ID!, $charger: ID!, $ids: [ID!]!) {
  nodes(ids: $ids) { id }
  sessions(first: 100) { totalCount nodes { id } }
  installation: node(id: $installation) { ... on Installation { sessions(first: 100) { totalCount nodes { id } } } }
  charger: node(id: $charger) {
    ... on Charger { activeSession { id } sessions(first: 100) { totalCount nodes { id } } }
  }
  viewer { sessions(first: 100) { totalCount nodes { id } } }
}
"""


def _ids(connection: dict[str, Any] | None) -> set[str]:
    if connection is None:
        return set()
    found = {node["id"] for node in connection["nodes"]}
    assert connection["totalCount"] == len(found)
    return found


@pytest.mark.parametrize("person", ROLES)
async def test_a_hidden_session_looks_absent_wherever_it_is_asked_for(town: Town, person: str) -> None:
    """Through node, lists, counts and nested fields."""
    sessions = await _world(town)
    access = await town.access(person)
    absent = new_id()
    asked = [*sessions.values(), absent]
    data = await Api().data(
        access,
        LISTS,
        {
            "installation": installation_id(town.site.id),
            "charger": charger_id(town.charger_id),
            "ids": [session_id(one) for one in asked],
        },
    )
    seen = {session_id(sessions[name]) for name in SEEN[person]}
    assert {node["id"] for node in data["nodes"] if node} == seen
    assert data["nodes"][-1] is None
    assert _ids(data["sessions"]) == seen
    if data["installation"] is not None:
        assert _ids(data["installation"]["sessions"]) == seen
    if data["charger"] is not None:
        here = {session_id(sessions[name]) for name in SEEN[person] & {"own", "active"}}
        assert _ids(data["charger"]["sessions"]) == here
        active = session_id(sessions["active"])
        assert data["charger"]["activeSession"] == ({"id": active} if active in here else None)
    own = {"USER of charger": {"own"}, "SERVICE": {"neighbour's"}}.get(person, set())
    assert _ids((data["viewer"] or {}).get("sessions")) == {session_id(sessions[name]) for name in own}


ONE = """
query ($id: ID!) {
  node(id: $id) {
    ... on ChargeSession {
      state installation { name } installationName timeZone charger { name } chargerName circuitName isViewers
      user { name } userName cardName startedAt endedAt registeredAt dateQuality flags energyKwh connectedSeconds
      chargingSeconds stopReason replacedBy { id } replaces { id } priority energyTargetKwh departureAt
      energyDetails(from: "2026-03-01T08:00:00Z", to: "2026-03-01T09:00:00Z") { startAt endAt energyKwh quality }
    }
  }
}
"""


async def test_a_session_tells_its_snapshots_and_links_only_what_may_be_followed(town: Town) -> None:
    """The driver sees no circuit; a person's old session elsewhere keeps its names and loses its links."""
    me = town.people["USER of charger"]
    own = await factories.a_session(
        town.other_site, town.other_charger_id, user_id=me, user_name="Me", flags=SessionFlag.OFFLINE
    )
    api = Api()
    data = await api.data(await town.access("USER of charger"), ONE, {"id": session_id(own)})
    assert data["node"] == {
        "state": "ENDED",
        "installation": None,
        "installationName": "Fjordveien garage",
        "timeZone": "Europe/Oslo",
        "charger": None,
        "chargerName": "Space 1",
        "circuitName": None,
        "isViewers": True,
        "user": {"name": "USER of charger"},
        "userName": "Me",
        "cardName": None,
        "startedAt": "2026-03-01T07:00:00Z",
        "endedAt": "2026-03-01T11:00:00Z",
        "registeredAt": "2026-03-01T11:00:00Z",
        "dateQuality": "OFFLINE",
        "flags": ["OFFLINE"],
        "energyKwh": "7.200",
        "connectedSeconds": 14_400,
        "chargingSeconds": 0,
        "stopReason": None,
        "replacedBy": None,
        "replaces": None,
        "priority": 0,
        "energyTargetKwh": None,
        "departureAt": None,
        "energyDetails": [
            {
                "startAt": f"2026-03-01T08:{minute:02}:00Z",
                "endAt": f"2026-03-01T{'09:00' if minute == 45 else f'08:{minute + 15}'}:00Z",
                "energyKwh": "0.450",
                "quality": "ESTIMATED",
            }
            for minute in (0, 15, 30, 45)
        ],
    }


async def test_sessions_are_filtered_and_ordered_by_what_may_be_seen(town: Town) -> None:
    """An id of another type, or of nothing, matches nothing."""
    sessions = await _world(town)
    owner, api = await town.access("OWNER of installation"), Api()
    query = """
    query ($where: ChargeSessionWhere, $order: [ChargeSessionOrder!]) {
      sessions(first: 10, where: $where, orderBy: $order) { nodes { id } }
    }
    """

    async def found(where: dict[str, Any], order: list[dict[str, str]] | None = None) -> list[str]:
        data = await api.data(owner, query, {"where": where, "order": order})
        return [node["id"] for node in data["sessions"]["nodes"]]

    active = [session_id(sessions["active"])]
    assert await found({"state": ["ACTIVE"]}) == active
    assert await found({"chargerId": {"eq": charger_id(town.charger_id)}, "NOT": {"state": ["ENDED"]}}) == active
    assert await found({"chargerId": {"eq": installation_id(town.site.id)}}) == []
    assert await found({"chargerId": {"eq": charger_id(town.other_charger_id)}}) == []
    assert await found({"energyKwh": {"gte": "7.2001"}}) == []
    assert len(await found({"energyKwh": {"gte": "7.2", "lt": "7.2001"}})) == 3
    assert (await found({}, [{"field": "STARTED_AT", "direction": "ASC"}]))[-1:] == active


SUMMARY = """
query ($input: UsageSummaryInput!) {
  usageSummary(input: $input) {
    basis timeZone groupBy
    period { from to startAt endAt }
    rows(first: 10, orderBy: { field: ENERGY }) {
      totalCount
      nodes {
        key labels startAt endAt
        charger { name } user { name } circuit { name } installation { name }
        usage {
          sessionCount energyKwh connectedSeconds chargingSeconds offlineSessionCount unreliableDateCount
          firstSessionAt lastSessionAt costs { amount }
        }
      }
    }
    total { sessionCount energyKwh }
    coverage { isComplete silentChargers { since charger { name } } }
    emptyBecause { reason text nearestSessionAt }
  }
}
"""
MARCH = {"from": "2026-03-01", "to": "2026-04-01"}


async def test_a_summary_shows_its_groups_their_links_and_its_coverage(town: Town) -> None:
    """By person: a name and a link for each, and one group for nobody known."""
    await _world(town)
    await factories.a_session(town.site, town.charger_id, energy_wh=9_999)
    given = {"installationIds": [installation_id(town.site.id)], "period": MARCH, "groupBy": ["USER"]}
    data = await Api().data(await town.access("OWNER of installation"), SUMMARY, {"input": given})
    summary = data["usageSummary"]
    assert (summary["basis"], summary["timeZone"], summary["groupBy"]) == ("REGISTERED", "Europe/Oslo", ["USER"])
    assert summary["period"] == {**MARCH, "startAt": "2026-02-28T23:00:00Z", "endAt": "2026-03-31T22:00:00Z"}
    assert summary["total"] == {"sessionCount": 3, "energyKwh": "24.399"}
    first, *others = summary["rows"]["nodes"]
    assert (first["labels"], first["user"], first["charger"]) == (["Not identified"], None, None)
    assert first["usage"] == {
        "sessionCount": 1,
        "energyKwh": "9.999",
        "connectedSeconds": 14_400.0,
        "chargingSeconds": 0.0,
        "offlineSessionCount": 0,
        "unreliableDateCount": 0,
        "firstSessionAt": "2026-03-01T07:00:00Z",
        "lastSessionAt": "2026-03-01T07:00:00Z",
        "costs": [],
    }
    assert {row["user"]["name"] for row in others} == {"USER of charger", "SERVICE"}
    assert {one["charger"]["name"] for one in summary["coverage"]["silentChargers"]} == {"Space 1", "Space 2"}
    assert summary["emptyBecause"] is None


async def test_hours_have_instants(town: Town) -> None:
    """So that the two hours 02 of an autumn night can be told apart."""
    start = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    for hour in (0, 1):
        at = start + timedelta(hours=hour)
        await factories.a_session(town.site, town.charger_id, started_at=at, ended_at=at)
    given = {
        "installationIds": [installation_id(town.site.id)],
        "period": {"from": "2025-10-26", "to": "2025-10-27"},
        "groupBy": ["CHARGER", "HOUR"],
    }
    data = await Api().data(await town.access("OWNER of installation"), SUMMARY, {"input": given})
    rows = data["usageSummary"]["rows"]["nodes"]
    assert [row["labels"] for row in rows] == [["Space 1", "2025-10-26 02:00"]] * 2
    assert {(row["startAt"], row["endAt"]) for row in rows} == {
        ("2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z"),
        ("2025-10-26T01:00:00Z", "2025-10-26T02:00:00Z"),
    }


@pytest.mark.parametrize("person", ROLES)
async def test_a_summary_is_for_owners_and_others_cannot_tell_hidden_from_absent(town: Town, person: str) -> None:
    """Through the root field, with any hidden id, and through the installation."""
    await _world(town)
    api, access = Api(), await town.access(person)
    is_owner = person == "OWNER of installation"

    async def codes(installation: UUID, where: dict[str, Any] | None = None) -> list[str]:
        given = {"installationIds": [installation_id(installation)], "period": MARCH, "where": where}
        answer = await api.ask(access, SUMMARY, {"input": given})
        return [error["extensions"]["code"] for error in answer.get("errors", [])]

    absent = await codes(new_id())
    assert absent == (["UNAUTHENTICATED"] if person == "not signed in" else ["NOT_FOUND"]) or absent == ["NOT_FOUND"]
    assert await codes(town.site.id) == ([] if is_owner else absent)
    assert await codes(town.site.id, {"chargerIds": [charger_id(town.other_charger_id)]}) == absent
    assert await codes(town.site.id, {"userIds": [user_id(town.people["ADMINISTRATOR"])]}) == absent
    assert await codes(town.site.id, {"circuitIds": [circuit_id(town.other_site.root_id)]}) == absent
    query = """
    query ($id: ID!, $period: PeriodInput!) {
      node(id: $id) { ... on Installation { usageSummary(period: $period) { total { sessionCount } } } }
    }
    """
    data = await api.data(access, query, {"id": installation_id(town.site.id), "period": MARCH})
    shown = (data["node"] or {}).get("usageSummary")
    assert shown == ({"total": {"sessionCount": 2}} if is_owner else None)


async def test_a_wrong_period_is_bad_user_input(town: Town) -> None:
    """The message says what to change."""
    given = {"installationIds": [installation_id(town.site.id)], "period": {"from": "2026-03-01", "to": "2026-03-01"}}
    answer = await Api().ask(await town.access("OWNER of installation"), SUMMARY, {"input": given})
    assert answer["data"] == {"usageSummary": None}
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_driver_sums_up_their_own_sessions(town: Town) -> None:
    """On every charger."""
    await _world(town)
    query = "query ($period: PeriodInput!) { viewer { usageSummary(period: $period) { total { sessionCount energyKwh } } } }"
    data = await Api().data(await town.access("USER of charger"), query, {"period": MARCH})
    assert data["viewer"]["usageSummary"]["total"] == {"sessionCount": 1, "energyKwh": "7.200"}


COMMAND = """
... on CommandSuccess { command { id action state isFinal deadline charger { id } session { id } } }
... on ChargerOfflineError { lastSeenAt }
... on ChargerStateError { mode }
"""


async def test_charging_is_started_paused_resumed_and_stopped(town: Town) -> None:
    """Each is a command on its way, found again in the viewer's and the charger's lists."""
    await ChargerStatus.all().update(is_online=True, mode=OperatingMode.AWAITING_AUTHORIZATION)
    me, api = await town.access("USER of charger"), Api()
    charger = charger_id(town.charger_id)
    started = await api.mutate(me, "startCharging", {"chargerId": charger, "idempotencyKey": "1"}, COMMAND)
    assert (started["command"]["action"], started["command"]["state"]) == ("START", "QUEUED")
    assert started["command"]["deadline"] == "2026-03-01T12:01:00Z"
    again = await api.mutate(me, "startCharging", {"chargerId": charger, "idempotencyKey": "1"}, COMMAND)
    assert again == started
    assert await Command.all().count() == len(api.dispatch.given) == 1
    session = await factories.a_session(town.site, town.charger_id, user_id=me.user_id, state=SessionState.ACTIVE)
    for name in ("pauseCharging", "resumeCharging", "stopCharging"):
        given = {"chargerId": charger, "sessionId": session_id(session)}
        assert (await api.mutate(me, name, given, COMMAND))["command"]["session"] == {"id": session_id(session)}
    data = await api.data(
        me,
        """query ($id: ID!) {
          viewer { commands(first: 10, isFinal: false) { nodes { action } } }
          node(id: $id) { ... on Charger { commands(first: 10) { nodes { action } } } }
        }""",
        {"id": charger},
    )
    actions = [{"action": action} for action in ("STOP", "RESUME", "PAUSE", "START")]
    assert data["viewer"]["commands"]["nodes"] == data["node"]["commands"]["nodes"] == actions


async def test_what_cannot_be_done_is_answered_with_its_error(town: Town) -> None:
    """Off, in another mode, another session, hidden, not allowed, a wrong deadline."""
    owner, api = await town.access("OWNER of installation"), Api()
    charger = charger_id(town.charger_id)

    async def refused(name: str, **given: object) -> tuple[str, str]:
        result = await api.mutate(owner, name, {"chargerId": charger, **given}, COMMAND)
        return result["__typename"], result["code"]

    assert await refused("startCharging") == ("ChargerOfflineError", "CHARGER_OFFLINE")
    await ChargerStatus.all().update(is_online=True)
    assert await refused("stopCharging") == ("ChargerStateError", "CHARGER_STATE")
    await factories.a_session(town.site, town.charger_id, state=SessionState.ACTIVE)
    old = await factories.a_session(town.site, town.charger_id)
    assert await refused("stopCharging", sessionId=session_id(old)) == ("ConflictError", "OTHER_SESSION")
    assert await refused("stopCharging", sessionId=session_id(new_id())) == ("NotFoundError", "NOT_FOUND")
    assert await refused("stopCharging", deadlineSeconds=1) == ("ValidationError", "INVALID")
    assert await refused("restartCharger", chargerId=charger_id(town.other_charger_id)) == (
        "NotFoundError",
        "NOT_FOUND",
    )
    owner = await town.access("USER of installation")
    assert await refused("unlockConnector") == ("NotAllowedError", "NOT_ALLOWED")


async def test_a_driver_says_when_the_car_leaves_and_an_owner_who_comes_first(town: Town) -> None:
    """The driver's wishes are targets; the order is the owner's."""
    me, owner, api = await town.access("USER of charger"), await town.access("OWNER of installation"), Api()
    session = await factories.a_session(town.site, town.charger_id, user_id=me.user_id, state=SessionState.ACTIVE)
    show = "... on ChargeSessionSuccess { session { priority energyTargetKwh departureAt } }"
    wish = {"sessionId": session_id(session), "energyTargetKwh": "12.5", "departureAt": "2026-03-02T06:00:00Z"}
    mine = await api.mutate(me, "setSessionPriority", wish, show)
    assert mine["session"] == {"priority": 0, "energyTargetKwh": "12.500", "departureAt": "2026-03-02T06:00:00Z"}
    first = {"sessionId": session_id(session), "priority": 5, "energyTargetKwh": None}
    assert (await api.mutate(me, "setSessionPriority", first, show))["code"] == "NOT_ALLOWED"
    theirs = await api.mutate(owner, "setSessionPriority", first, show)
    assert theirs["session"] == {"priority": 5, "energyTargetKwh": None, "departureAt": "2026-03-02T06:00:00Z"}
    stranger = await town.access("stranger")
    assert (await api.mutate(stranger, "setSessionPriority", first, show))["code"] == "NOT_FOUND"
    await ChargeSession.all().update(state=SessionState.ENDED)
    assert (await api.mutate(owner, "setSessionPriority", first, show))["code"] == "CONFLICT"


EXPORT = "... on ExportSuccess { export { id kind format state progress url fileName expiresAt } }"


async def test_a_file_is_asked_for_followed_and_cancelled(town: Town) -> None:
    """Its link appears when it is ready; it is nobody else's."""
    owner, api = await town.access("OWNER of installation"), Api()
    source = {"usage": {"installationIds": [installation_id(town.site.id)], "period": MARCH}}
    made = (await api.mutate(owner, "createExport", {"source": source}, EXPORT))["export"]
    assert made == {
        "id": made["id"],
        "kind": "SUMMARY",
        "format": "XLSX",
        "state": "QUEUED",
        "progress": 0.0,
        "url": None,
        "fileName": None,
        "expiresAt": None,
    }
    query = "query ($id: ID!) { node(id: $id) { ... on Export { state url } } viewer { exports(first: 5) { nodes { id } } } }"
    await Export.all().update(state=ExportState.READY, expires_at=NOW + timedelta(hours=1), file_name="x.xlsx")
    ready = await api.data(owner, query, {"id": made["id"]})
    assert ready["node"]["url"].startswith("http://lade.test/exports/")
    assert ready["viewer"]["exports"]["nodes"] == [{"id": made["id"]}]
    other = await api.data(await town.access("ADMINISTRATOR"), query, {"id": made["id"]})
    assert other == {"node": None, "viewer": {"exports": {"nodes": []}}}
    own = {"source": {"own": MARCH}, "kind": "SESSIONS", "format": "CSV", "locale": "nb-NO"}
    mine = (await api.mutate(await town.access("stranger"), "createExport", own, EXPORT))["export"]
    cancelled = await api.mutate(await town.access("stranger"), "cancelExport", {"exportId": mine["id"]}, EXPORT)
    assert cancelled["export"]["state"] == "CANCELLED"
    assert (await api.mutate(owner, "cancelExport", {"exportId": mine["id"]}, EXPORT))["code"] == "NOT_FOUND"
    history = {"source": {"sessions": {"state": ["ENDED"]}}, "kind": "SESSIONS"}
    assert (await api.mutate(owner, "createExport", history, EXPORT))["__typename"] == "ExportSuccess"
    hidden = {"source": {"usage": {"installationIds": [installation_id(town.other_site.id)], "period": MARCH}}}
    refused = await api.mutate(owner, "createExport", hidden, EXPORT)
    assert refused["code"] == "NOT_FOUND"


async def test_the_key_of_a_usage_row_tells_no_ids() -> None:
    """Who charged at a charger that they see no more learns its name of then, and not its id."""
    town = await factories.a_town()
    driver = await factories.a_person("Guest")
    await factories.a_session(town.site, town.charger_id, user_id=driver)
    answer = await Api().data(
        await factories.access(driver),
        """{ viewer { usageSummary(period: {from: "2026-03-01", to: "2026-04-01"}) {
             rows(first: 2) { edges { cursor } nodes { key labels charger { id } } } } } }""",
    )
    (row,) = answer["viewer"]["usageSummary"]["rows"]["nodes"]
    assert row["labels"] == ["Space 1"]
    assert row["charger"] is None
    assert str(town.charger_id) not in row["key"]
    assert town.charger_id.hex not in row["key"]
