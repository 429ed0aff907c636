"""Alerts: listed for those who handle them, acknowledged once, and live."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.redis_bus import RedisBus
from domain.events import AlertChanged, PermissionChanged
from domain.models import Alert, AuditEntry, Charger, Permission
from domain.roles import AlertKind, AlertState, Role, Severity
from gql.ids import global_id
from tests.factories import NOW, Town, a_grant, a_town, an_alert
from tests.gql.asking import Api, charger_id, installation_id
from tests.gql.world import Socket, World

LIST = """
query ($id: ID!, $where: AlertWhere, $after: String) { node(id: $id) { ... on Installation {
  alerts(first: 2, where: $where, after: $after) { totalCount pageInfo { endCursor hasNextPage } nodes { kind } } } } }
"""
ACKNOWLEDGED = "... on AlertSuccess { alert { state acknowledgedBy acknowledgedAt note } }"
FOLLOW = """
subscription ($target: StatusTarget!, $after: String) {
  alertChanged(target: $target, after: $after) { kind isResync alertId alert { state kind charger { name } } }
}
"""


async def _kinds(town: Town, person: str, where: dict[str, Any] | None = None) -> list[str]:
    given = {"id": installation_id(town.site.id), "where": where}
    found = (await Api().data(await town.access(person), LIST, given))["node"]["alerts"]
    assert found["totalCount"] == len(found["nodes"])
    return [one["kind"] for one in found["nodes"]]


@pytest.mark.usefixtures("database")
async def test_filters_reach_state_kind_severity_charger_and_time() -> None:
    """Several hold together; a charger that is hidden by now finds nothing."""
    town = await a_town()
    await an_alert(town.site.id, town.charger_id, opened_at=NOW - timedelta(hours=2))
    await an_alert(town.site.id, kind=AlertKind.METER_STALE, severity=Severity.WARNING, resolved_at=NOW)
    owner = "OWNER of installation"
    assert await _kinds(town, owner) == ["METER_STALE", "CABLE_FAULT"]
    assert await _kinds(town, owner, {"state": ["OPEN", "ACKNOWLEDGED"]}) == ["CABLE_FAULT"]
    assert await _kinds(town, owner, {"kind": ["METER_STALE"]}) == ["METER_STALE"]
    assert await _kinds(town, owner, {"minimumSeverity": "ERROR"}) == ["CABLE_FAULT"]
    assert await _kinds(town, owner, {"minimumSeverity": "CRITICAL"}) == []
    assert await _kinds(town, owner, {"openedAt": {"lt": NOW.isoformat()}}) == ["CABLE_FAULT"]
    here = {"chargerId": {"eq": charger_id(town.charger_id)}}
    assert await _kinds(town, owner, here) == ["CABLE_FAULT"]
    assert await _kinds(town, owner, {"chargerId": {"eq": charger_id(town.other_charger_id)}}) == []
    await Charger.filter(id=town.charger_id).update(installation_id=town.other_site.id)
    assert await _kinds(town, owner, here) == []
    assert await _kinds(town, owner) == ["METER_STALE", "CABLE_FAULT"]


@pytest.mark.usefixtures("database")
async def test_pages_go_on_where_they_ended() -> None:
    """Newest first; alerts of the same instant are neither skipped nor repeated."""
    town = await a_town()
    for kind in (AlertKind.CABLE_FAULT, AlertKind.VOLTAGE, AlertKind.INTERNAL):
        await an_alert(town.site.id, town.charger_id, kind=kind)
    given: dict[str, Any] = {"id": installation_id(town.site.id)}
    access = await town.access("SERVICE")
    first = (await Api().data(access, LIST, given))["node"]["alerts"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    given["after"] = first["pageInfo"]["endCursor"]
    rest = (await Api().data(access, LIST, given))["node"]["alerts"]
    assert [one["kind"] for one in (*first["nodes"], *rest["nodes"])] == ["INTERNAL", "VOLTAGE", "CABLE_FAULT"]


@pytest.mark.usefixtures("database")
async def test_an_alert_is_acknowledged_once() -> None:
    """Who, when and with which note is kept and in the audit log; a second one is told so, and nothing changes."""
    town, api = await a_town(), Api()
    alert = await an_alert(town.site.id, town.charger_id)
    given = {"alertId": global_id("Alert", alert), "note": " An electrician comes. "}
    done = await api.mutate(await town.access("SERVICE"), "acknowledgeAlert", given, ACKNOWLEDGED)
    assert done["alert"] == {
        "state": "ACKNOWLEDGED",
        "acknowledgedBy": "SERVICE",
        "acknowledgedAt": "2026-03-01T12:00:00Z",
        "note": "An electrician comes.",
    }
    assert api.bus.published == [AlertChanged(alert, town.site.id, town.charger_id)]
    again = await api.mutate(await town.access("OWNER of charger"), "acknowledgeAlert", given)
    assert again["code"] == "ALREADY_DECIDED"
    await Alert.filter(id=alert).update(state=AlertState.RESOLVED, resolved_at=NOW)
    over = await api.mutate(await town.access("OWNER of charger"), "acknowledgeAlert", given)
    assert over["code"] == "CONFLICT"
    entry = await AuditEntry.get(action="alert.acknowledge")
    assert entry.state_after == '{"state":"ACKNOWLEDGED","note":"An electrician comes."}'


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("note", ["x" * 501, "two\nlines"])
async def test_a_note_that_does_not_fit_is_refused(note: str) -> None:
    """Nothing is acknowledged then."""
    town = await a_town()
    alert = await an_alert(town.site.id, town.charger_id)
    given = {"alertId": global_id("Alert", alert), "note": note}
    refused = await Api().mutate(await town.access("SERVICE"), "acknowledgeAlert", given)
    assert (refused["code"], refused["path"]) == ("INVALID", ["note"])
    assert (await Alert.get(id=alert)).state is AlertState.OPEN


@pytest.mark.usefixtures("database")
async def test_who_acknowledged_is_told_to_those_who_handle_the_site() -> None:
    """An owner of one charger learns that it is looked after, and not by whom."""
    town, api = await a_town(), Api()
    alert = await an_alert(town.site.id, town.charger_id)
    await api.mutate(await town.access("SERVICE"), "acknowledgeAlert", {"alertId": global_id("Alert", alert)})
    document = "query ($id: ID!) { node(id: $id) { ... on Alert { state acknowledgedBy } } }"
    for person, name in (("OWNER of charger", None), ("OWNER of installation", "SERVICE")):
        found = await api.data(await town.access(person), document, {"id": global_id("Alert", alert)})
        assert found["node"] == {"state": "ACKNOWLEDGED", "acknowledgedBy": name}


# ── live


async def _event(client: Socket) -> dict[str, Any]:
    heard = await client.hear()
    assert heard["type"] == "next", heard
    assert "errors" not in heard["payload"], heard
    event: dict[str, Any] = heard["payload"]["data"]["alertChanged"]
    return event


async def _following(client: Socket, **variables: Any) -> list[dict[str, Any]]:
    client.subscribe(FOLLOW, **variables)
    events = [await _event(client)]
    while events[-1]["kind"] != "READY":
        events.append(await _event(client))
    return events


def _site(town: Town) -> dict[str, str]:
    return {"installationId": installation_id(town.site.id)}


async def _told(bus: RedisBus, town: Town, alert: UUID, charger: UUID | None) -> None:
    await bus.publish(AlertChanged(alert, town.site.id, charger))


async def test_first_what_is_wrong_then_every_change(world: World, bus: RedisBus, town: Town) -> None:
    """A snapshot, READY, then alerts that open and resolve; what is resolved already is not in the snapshot."""
    first = await an_alert(town.site.id, town.charger_id)
    await an_alert(town.site.id, town.charger_id, kind=AlertKind.VOLTAGE, resolved_at=NOW)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        shown, ready = await _following(client, target=_site(town))
        assert shown == {
            "kind": "SNAPSHOT",
            "isResync": False,
            "alertId": global_id("Alert", first),
            "alert": {"state": "OPEN", "kind": "CABLE_FAULT", "charger": {"name": "Space 1"}},
        }
        assert (ready["kind"], ready["alert"]) == ("READY", None)
        second = await an_alert(town.site.id, kind=AlertKind.METER_STALE)
        await _told(bus, town, second, None)
        opened = await _event(client)
        assert (opened["kind"], opened["alert"]["kind"], opened["alert"]["charger"]) == ("CHANGED", "METER_STALE", None)
        await Alert.filter(id=first).update(state=AlertState.RESOLVED, resolved_at=NOW)
        await _told(bus, town, first, town.charger_id)
        resolved = await _event(client)
        assert (resolved["alertId"], resolved["alert"]["state"]) == (global_id("Alert", first), "RESOLVED")


async def test_who_comes_back_forgets_what_they_had(world: World, town: Town) -> None:
    """With a cursor of whatever time: the whole present, marked as such."""
    await an_alert(town.site.id, town.charger_id)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        events = await _following(client, target=_site(town), after="of last year")
        assert [(one["kind"], one["isResync"]) for one in events] == [("SNAPSHOT", True), ("READY", True)]


async def test_an_owner_of_a_charger_hears_of_that_charger_only(world: World, bus: RedisBus, town: Town) -> None:
    """Neither the neighbour's alerts nor those of the whole site, whatever they follow."""
    theirs = await an_alert(town.site.id, town.charger_id)
    others = await an_alert(town.site.id, town.neighbour_id, kind=AlertKind.VOLTAGE)
    site = await an_alert(town.site.id, kind=AlertKind.METER_STALE)
    async with world.signed_in(await world.token(town.people["OWNER of charger"])) as client:
        shown, _ = await _following(client, target=_site(town))
        assert shown["alertId"] == global_id("Alert", theirs)
        await _told(bus, town, others, town.neighbour_id)
        await _told(bus, town, site, None)
        await Alert.filter(id=theirs).update(state=AlertState.ACKNOWLEDGED)
        await _told(bus, town, theirs, town.charger_id)
        heard = await _event(client)
        assert (heard["alertId"], heard["alert"]["state"]) == (global_id("Alert", theirs), "ACKNOWLEDGED")


async def test_a_right_that_shrinks_takes_alerts_away(world: World, bus: RedisBus, town: Town) -> None:
    """REMOVED for what is no longer theirs; with the last right the stream ends."""
    owner = town.people["OWNER of installation"]
    await a_grant(Role.OWNER, town.site, user_id=owner, charger_id=town.neighbour_id)
    here = await an_alert(town.site.id, town.charger_id)
    there = await an_alert(town.site.id, town.neighbour_id)
    async with world.signed_in(await world.token(owner)) as client:
        assert len(await _following(client, target=_site(town))) == 3
        await Permission.filter(user_id=owner, charger_id=None).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=owner, installation_id=town.site.id))
        removed, kept = await _event(client), await _event(client)
        assert (removed["kind"], removed["alertId"], removed["alert"]) == ("REMOVED", global_id("Alert", here), None)
        assert (kept["kind"], kept["alertId"]) == ("CHANGED", global_id("Alert", there))
        await Permission.filter(user_id=owner).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=owner, installation_id=town.site.id))
        ended = await client.hear()
        assert ended["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"


async def test_those_who_handle_a_site_share_what_is_written(world: World, town: Town) -> None:
    """Owners and installers of one site are one audience; an owner of a charger is another."""
    await an_alert(town.site.id, town.charger_id)
    people = ("OWNER of installation", "SERVICE", "ADMINISTRATOR", "OWNER of charger")
    clients = [world.signed_in(await world.token(town.people[name])) for name in people]
    async with clients[0] as one, clients[1] as two, clients[2] as three, clients[3] as four:
        for client in (one, two, three, four):
            await _following(client, target=_site(town))
        assert world.edge.audiences.count == 2


async def test_parts_of_an_alert_about_the_whole_are_told_at_their_charger(
    world: World, bus: RedisBus, town: Town
) -> None:
    """Who handles the site has one for all of it; who owns the charger has theirs."""
    whole = await an_alert(town.site.id, kind=AlertKind.INSTALLATION_OFFLINE)
    part = await an_alert(town.site.id, town.charger_id, kind=AlertKind.CHARGER_OFFLINE, folded_into=whole)
    ids = {"whole": global_id("Alert", whole), "part": global_id("Alert", part)}
    expected = (("SERVICE", _site(town), "whole"), ("OWNER of charger", _site(town), "part"))
    for person, target, name in expected:
        async with world.signed_in(await world.token(town.people[person])) as client:
            shown, _ = await _following(client, target=target)
            assert shown["alertId"] == ids[name]
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        shown, _ = await _following(client, target={"chargerId": charger_id(town.charger_id)})
        assert shown["alertId"] == ids["part"]
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await _following(client, target=_site(town))
        await _told(bus, town, part, town.charger_id)
        await Alert.filter(id=part).update(folded_into_id=None)
        await _told(bus, town, part, town.charger_id)
        heard = await _event(client)
        assert (heard["kind"], heard["alertId"]) == ("CHANGED", ids["part"])
        await Alert.filter(id=part).update(folded_into_id=whole)
        await _told(bus, town, part, town.charger_id)
        assert (await _event(client))["kind"] == "REMOVED"
    assert await _kinds(town, "SERVICE") == ["INSTALLATION_OFFLINE"]
    assert await _kinds(town, "OWNER of charger") == ["CHARGER_OFFLINE"]
