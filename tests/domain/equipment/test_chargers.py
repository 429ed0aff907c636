"""Chargers are added, changed, moved, removed and re-keyed by those who may."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from domain import sql
from domain.access import Access
from domain.equipment.chargers import (
    ChargerChanges,
    Electrical,
    NewPassword,
    add_charger,
    move_charger,
    remove_charger,
    rotate_charger_password,
    update_charger,
)
from domain.equipment.stations import hash_charger_key
from domain.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    UnauthenticatedError,
    ValidationError,
)
from domain.events import AvailabilityOutdated, InstallationChanged, LocalListOutdated, PermissionChanged
from domain.ids import new_id
from domain.models import AuditEntry, Charger, ChargerStatus, ChargeSession, Offer, Station
from domain.roles import NetworkType, PhaseRotation, Role, SessionState
from domain.views.charger_views import chargers_by_ids
from tests.factories import PEOPLE, Town, a_charger, a_grant, a_group, a_person, a_session, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

INSTALLERS = frozenset({"SERVICE", "ADMINISTRATOR"})
SECRET = "the portal's secret"


async def _add(town: Town, person: str = "SERVICE", **given: Any) -> NewPassword:
    values: dict[str, Any] = {"name": "Space 3", "identity": "NEW-1", "secret": SECRET, "bus": RecordingBus(), **given}
    return await add_charger(await town.access(person), town.site.root_id, **values)


def _refused(person: str, *, seeing: frozenset[str]) -> type[DomainError]:
    if person == "not signed in":
        return UnauthenticatedError
    return NotAllowedError if person in seeing else NotFoundError


async def test_a_new_charger_comes_with_a_password_that_is_shown_once() -> None:
    """Kept as a keyed hash; with it come its live status and its offer; the audit log has no secret."""
    town = await a_town()
    bus = RecordingBus()
    made = await _add(town, bus=bus)
    assert made.password is not None
    assert len(bytes.fromhex(made.password)) == 16
    station = await Station.get(identity="NEW-1")
    assert station.password_hash == hash_charger_key(made.password, SECRET)
    assert station.password_hash != hash_charger_key(made.password, "another secret")
    assert (await ChargerStatus.get(charger_id=made.charger_id)).installation_id == town.site.id
    assert (await Offer.get(charger_id=made.charger_id)).installation_id == town.site.id
    follows = LocalListOutdated(installation_id=town.site.id, station_id=station.id)
    assert bus.published == [InstallationChanged(installation_id=town.site.id), follows]
    entry = await AuditEntry.get()
    assert entry.action == "charger.add"
    assert made.password not in (entry.state_after or "")
    assert station.password_hash not in (entry.state_after or "")


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_chargers_are_added_by_installers(person: str) -> None:
    """For those who see no circuits the circuit is absent."""
    town = await a_town()
    if person in INSTALLERS:
        await _add(town, person)
        return
    with pytest.raises(_refused(person, seeing=frozenset({"OWNER of installation"}))):
        await _add(town, person)
    assert await Station.filter(identity="NEW-1").count() == 0


async def test_a_second_socket_shares_its_stations_password() -> None:
    """Two chargers of one identity differ in EVSE; the same EVSE twice is refused."""
    town = await a_town()
    first = await _add(town)
    second = await _add(town, evse=2)
    assert second.password is None
    assert first.charger_id != second.charger_id
    assert await Station.filter(identity="NEW-1").count() == 1
    with pytest.raises(ConflictError) as caught:
        await _add(town, evse=2)
    assert caught.value.code is ErrorCode.ALREADY_EXISTS


async def test_two_who_add_the_same_charger_at_once_make_one() -> None:
    """The other is told that the identity is taken."""
    town = await a_town()
    results = await asyncio.gather(_add(town), _add(town, "ADMINISTRATOR"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ConflictError", "NewPassword"]
    assert await Station.filter(identity="NEW-1").count() == 1


async def test_nobody_joins_a_station_of_a_site_that_is_not_theirs() -> None:
    """An installer elsewhere learns no more than that the identity is taken."""
    town = await a_town()
    await a_charger(town.other_site, identity="TAKEN")
    for evse in (1, 2):
        with pytest.raises(ConflictError) as caught:
            await _add(town, identity="TAKEN", evse=evse)
        assert caught.value.message == "There is a charger with this identity and EVSE already."


async def test_every_wrong_field_of_a_charger_is_named_at_once() -> None:
    """Name, identity, EVSE, currents, rotation and switching."""
    town = await a_town()
    with pytest.raises(ValidationError) as caught:
        await _add(
            town,
            name=" ",
            identity="a/b",
            evse=0,
            electrical=Electrical(
                phase_rotation=PhaseRotation.L1L2,
                min_current_a=5.0,
                max_current_a=81.0,
                offline_current_a=3.0,
                can_switch_phases=True,
            ),
        )
    assert [".".join(problem.path) for problem in caught.value.problems] == [
        "name",
        "identity",
        "evse",
        "maxCurrentA",
        "minCurrentA",
        "offlineCurrentA",
        "phaseRotation",
        "canSwitchPhases",
    ]


@pytest.mark.parametrize(
    ("network", "rotation", "is_right"),
    [
        (NetworkType.TN_3_PHASE, PhaseRotation.STR, True),
        (NetworkType.TN_3_PHASE, PhaseRotation.L2, True),
        (NetworkType.TN_3_PHASE, PhaseRotation.L2L3, False),
        (NetworkType.IT_3_PHASE, PhaseRotation.L2L3, True),
        (NetworkType.IT_3_PHASE, PhaseRotation.L2, False),
        (NetworkType.TN_1_PHASE, PhaseRotation.L1, True),
        (NetworkType.TN_1_PHASE, PhaseRotation.RST, False),
        (NetworkType.IT_1_PHASE, PhaseRotation.L1L2, True),
        (NetworkType.IT_1_PHASE, PhaseRotation.L1, False),
    ],
)
async def test_a_rotation_exists_in_its_network_only(
    network: NetworkType, rotation: PhaseRotation, is_right: bool
) -> None:
    """A charger hangs on lines that the site has."""
    site = await a_site(network_type=network)
    viewer = await access(await a_person(is_administrator=True))

    async def add() -> None:
        await add_charger(
            viewer,
            site.root_id,
            name="A",
            identity="A",
            electrical=Electrical(phase_rotation=rotation),
            secret=SECRET,
            bus=RecordingBus(),
        )

    if is_right:
        await add()
    else:
        with pytest.raises(ValidationError):
            await add()


RENAME = ChargerChanges(name="Space 9")
REWIRE = ChargerChanges(name="Space 9", phase_rotation=PhaseRotation.STR)
OPEN = ChargerChanges(authentication_required=False)
OWNERS = frozenset({"OWNER of charger", "OWNER of installation"})


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
@pytest.mark.parametrize(
    ("changes", "allowed", "path"),
    [
        (RENAME, INSTALLERS | OWNERS, ("chargerId",)),
        (REWIRE, INSTALLERS, ("phaseRotation",)),
        (OPEN, frozenset({"OWNER of installation", "ADMINISTRATOR"}), ("authenticationRequired",)),
    ],
    ids=["rename", "rewire", "open"],
)
async def test_who_changes_what_of_a_charger(
    person: str, changes: ChargerChanges, allowed: frozenset[str], path: tuple[str, ...]
) -> None:
    """The name is the owners' and installers', the wiring the installers', who must identify themselves the site's owners'."""
    town = await a_town()
    viewer = await town.access(person)
    if person in allowed:
        await update_charger(viewer, town.charger_id, changes, bus=RecordingBus())
        return
    seeing = frozenset(PEOPLE) - {"stranger"}
    with pytest.raises(_refused(person, seeing=seeing)) as caught:
        await update_charger(viewer, town.charger_id, changes, bus=RecordingBus())
    if person in INSTALLERS | OWNERS:
        assert caught.value.path == path
    row = await Charger.get(id=town.charger_id)
    assert (row.name, row.phase_rotation, row.authentication_required) == ("Space 1", PhaseRotation.RST, None)


async def test_what_may_be_empty_is_cleared_and_the_rest_is_not() -> None:
    """None lets the balancer plan the offline current; a charger without a name is refused."""
    town = await a_town()
    viewer = await town.access("ADMINISTRATOR")
    bus = RecordingBus()
    await update_charger(viewer, town.charger_id, ChargerChanges(offline_current_a=6.0, is_enabled=False), bus=bus)
    await update_charger(viewer, town.charger_id, ChargerChanges(offline_current_a=None), bus=bus)
    row = (await chargers_by_ids(viewer, [town.charger_id]))[town.charger_id]
    assert (row.offline_current_a, row.is_enabled) == (None, False)
    with pytest.raises(ValidationError) as caught:
        await update_charger(
            viewer, town.charger_id, ChargerChanges(name=None, is_enabled=None, max_current_a=None), bus=bus
        )
    assert {problem.path for problem in caught.value.problems} == {("name",), ("isEnabled",), ("maxCurrentA",)}


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_a_new_password_is_given_to_installers(person: str) -> None:
    """The old one stays beside it until the station signs in with the new."""
    town = await a_town()
    viewer = await town.access(person)
    if person not in INSTALLERS:
        with pytest.raises(_refused(person, seeing=frozenset(PEOPLE) - {"stranger"})):
            await rotate_charger_password(viewer, town.charger_id, secret=SECRET)
        return
    given = await rotate_charger_password(viewer, town.charger_id, secret=SECRET)
    row = await Charger.get(id=town.charger_id).prefetch_related("station")
    assert row.station is not None
    assert given.password is not None
    assert row.station.password_hash == ""
    assert row.station.next_password_hash == hash_charger_key(given.password, SECRET)
    assert given.password not in str((await AuditEntry.get()).state_after)


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_a_charger_moves_where_its_installer_is_at_home_on_both_sides(person: str) -> None:
    """To a site that one does not see, the circuit is absent; nothing moves."""
    town = await a_town()
    viewer = await town.access(person)
    if person == "ADMINISTRATOR":
        await move_charger(viewer, town.charger_id, town.other_site.root_id, bus=RecordingBus())
        return
    expected = NotFoundError if person == "SERVICE" else _refused(person, seeing=frozenset(PEOPLE) - {"stranger"})
    for circuit_id in (town.other_site.root_id, new_id()):
        with pytest.raises(expected):
            await move_charger(viewer, town.charger_id, circuit_id, bus=RecordingBus())
    assert (await Charger.get(id=town.charger_id)).installation_id == town.site.id


async def test_sessions_and_grants_stay_when_a_charger_moves() -> None:
    """Its old people lose it, its new site's people see it and none of its past; both sites are told."""
    town = await a_town()
    session_id = await a_session(town.site, town.charger_id)
    there = await a_person("Owner there")
    await a_grant(Role.OWNER, town.other_site, user_id=there)
    await Offer.filter(charger_id=town.charger_id).update(fence=7)
    await a_grant(Role.USER, town.site, group_id=await a_group(town.site, there), charger_id=town.charger_id)
    bus = RecordingBus()
    await move_charger(await town.access("ADMINISTRATOR"), town.charger_id, town.other_site.root_id, bus=bus)
    assert (await ChargeSession.get(id=session_id)).installation_id == town.site.id
    assert await chargers_by_ids(await town.access("USER of charger"), [town.charger_id]) == {}
    viewer = await access(there)
    assert list(await chargers_by_ids(viewer, [town.charger_id])) == [town.charger_id]
    arguments: list[object] = []
    condition = viewer.sessions_condition("s", arguments)
    assert await sql.rows(f"SELECT s.id FROM charge_sessions s WHERE {condition}", *arguments) == []  # noqa: S608
    offer, status = await Offer.get(charger_id=town.charger_id), await ChargerStatus.get(charger_id=town.charger_id)
    assert (offer.installation_id, offer.fence) == (town.other_site.id, 0)
    assert (status.installation_id, status.version) == (town.other_site.id, 2)
    for site in (town.site, town.other_site):
        assert InstallationChanged(installation_id=site.id) in bus.published
    for person in ("USER of charger", "OWNER of charger"):
        told = PermissionChanged(user_id=town.people[person], installation_id=town.site.id)
        assert told in bus.published
    assert PermissionChanged(user_id=there, installation_id=town.site.id) in bus.published


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_chargers_are_removed_by_installers(person: str) -> None:
    """The row stays for its sessions; its password is worth nothing and its identity is free again."""
    town = await a_town()
    viewer = await town.access(person)
    identity = (await sql.rows("SELECT s.identity FROM stations s ORDER BY s.id"))[0]["identity"]
    if person not in INSTALLERS:
        with pytest.raises(_refused(person, seeing=frozenset(PEOPLE) - {"stranger"})):
            await remove_charger(viewer, town.charger_id, bus=RecordingBus())
        return
    await remove_charger(viewer, town.charger_id, bus=RecordingBus())
    assert await chargers_by_ids(viewer, [town.charger_id]) == {}
    assert (await Station.get(identity=identity)).password_hash == ""
    assert await Offer.filter(charger_id=town.charger_id).count() == 0
    again = await _add(town, identity=identity)
    assert again.password is not None
    assert again.charger_id != town.charger_id


async def test_while_a_car_charges_the_charger_stays() -> None:
    """Neither moved nor removed."""
    town = await a_town()
    viewer = await town.access("ADMINISTRATOR")
    await a_session(town.site, town.charger_id, state=SessionState.ACTIVE)
    with pytest.raises(ConflictError) as caught:
        await remove_charger(viewer, town.charger_id, bus=RecordingBus())
    assert caught.value.code is ErrorCode.IN_USE
    with pytest.raises(ConflictError) as caught:
        await move_charger(viewer, town.charger_id, town.other_site.root_id, bus=RecordingBus())
    assert caught.value.code is ErrorCode.IN_USE


async def test_a_charger_does_not_move_into_a_network_that_it_cannot_hang_in() -> None:
    """The rotations of that network are named."""
    town = await a_town()
    elsewhere = await a_site("One phase", network_type=NetworkType.TN_1_PHASE)
    with pytest.raises(ConflictError, match="L1"):
        await move_charger(await town.access("ADMINISTRATOR"), town.charger_id, elsewhere.root_id, bus=RecordingBus())


ACTS: dict[str, Callable[[Access, UUID, UUID], Awaitable[object]]] = {
    "update": lambda viewer, charger_id, _: update_charger(viewer, charger_id, RENAME, bus=RecordingBus()),
    "rotate": lambda viewer, charger_id, _: rotate_charger_password(viewer, charger_id, secret=SECRET),
    "move": lambda viewer, charger_id, circuit_id: move_charger(viewer, charger_id, circuit_id, bus=RecordingBus()),
    "remove": lambda viewer, charger_id, _: remove_charger(viewer, charger_id, bus=RecordingBus()),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("person", sorted(set(PEOPLE) - {"ADMINISTRATOR"}))
async def test_a_hidden_charger_is_absent(person: str, act: str) -> None:
    """The same answer for one that is elsewhere and one that never was."""
    town = await a_town()
    viewer = await town.access(person)
    for charger_id in (town.other_charger_id, new_id()):
        with pytest.raises(NotFoundError):
            await ACTS[act](viewer, charger_id, town.site.root_id)


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        (ChargerChanges(is_enabled=False), True),
        (ChargerChanges(authentication_required=False), True),
        (ChargerChanges(is_enabled=True), False),
        (ChargerChanges(name="Space 9"), False),
    ],
)
async def test_a_stations_list_follows_what_its_chargers_take(changes: ChargerChanges, is_told: bool) -> None:
    """Out of use, or open to everybody: the list is another one; a new name changes none."""
    town, bus = await a_town(), RecordingBus()
    await update_charger(await town.access("ADMINISTRATOR"), town.charger_id, changes, bus=bus)
    assert any(isinstance(event, LocalListOutdated) for event in bus.published) is is_told
    is_out_of_service = changes.is_enabled is False
    assert any(isinstance(event, AvailabilityOutdated) for event in bus.published) is is_out_of_service


async def test_a_station_that_loses_or_changes_its_place_is_told() -> None:
    """By its own id, because no charger of the old place leads to it any more."""
    town, bus = await a_town(), RecordingBus()
    station_id = (await Charger.get(id=town.charger_id)).station_id
    administrator, other = await town.access("ADMINISTRATOR"), await a_site("Elsewhere")
    await move_charger(administrator, town.charger_id, other.root_id, bus=bus)
    assert LocalListOutdated(installation_id=other.id, station_id=station_id) in bus.published
    assert AvailabilityOutdated(installation_id=other.id, station_id=station_id) in bus.published
    await remove_charger(administrator, town.charger_id, bus=bus)
    assert bus.published.count(LocalListOutdated(installation_id=other.id, station_id=station_id)) == 2


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_security_profiles_are_set_and_seen_by_installers(person: str) -> None:
    """Nobody else sees them, or changes one; the change is in the log."""
    town = await a_town()
    charger = await Charger.get(id=town.charger_id)
    await Station.filter(id=charger.station_id).update(security_profile=2, minimum_security_profile=2)
    viewer = await town.access(person)
    changes = ChargerChanges(minimum_security_profile=1)
    found = (await chargers_by_ids(viewer, [town.charger_id])).get(town.charger_id)
    if person in INSTALLERS:
        assert found is not None
        assert (found.security_profile, found.minimum_security_profile) == (2, 2)
        await update_charger(viewer, town.charger_id, changes, bus=RecordingBus())
        assert (await Station.get(id=charger.station_id)).minimum_security_profile == 1
        entry = await AuditEntry.get()
        assert (entry.state_before, entry.state_after) == (
            '{"minimumSecurityProfile":2}',
            '{"minimumSecurityProfile":1}',
        )
        return
    assert found is None or (found.security_profile, found.minimum_security_profile) == (None, None)
    with pytest.raises(_refused(person, seeing=frozenset(PEOPLE) - {"stranger"})):
        await update_charger(viewer, town.charger_id, changes, bus=RecordingBus())
    assert (await Station.get(id=charger.station_id)).minimum_security_profile == 2


@pytest.mark.parametrize("least", [-1, 4, None])
async def test_there_are_four_security_profiles(least: int | None) -> None:
    """From 0 to 3; any other, or none, is refused and nothing is changed."""
    town = await a_town()
    changes = ChargerChanges(minimum_security_profile=least, name="Renamed")
    with pytest.raises(ValidationError) as caught:
        await update_charger(await town.access("SERVICE"), town.charger_id, changes, bus=RecordingBus())
    assert caught.value.path == ("minimumSecurityProfile",)
    charger = await Charger.get(id=town.charger_id)
    assert charger.name != "Renamed"
    assert (await Station.get(id=charger.station_id)).minimum_security_profile == 1


async def test_a_shared_stations_security_is_of_all_its_installers() -> None:
    """Who installs one of two sockets only does not open the door of the other."""
    town = await a_town()
    charger = await Charger.get(id=town.charger_id)
    await Charger.filter(id=town.other_charger_id).update(station_id=charger.station_id, evse=2)
    changes = ChargerChanges(minimum_security_profile=0)
    with pytest.raises(NotAllowedError) as caught:
        await update_charger(await town.access("SERVICE"), town.charger_id, changes, bus=RecordingBus())
    assert caught.value.path == ("minimumSecurityProfile",)
    await update_charger(await town.access("ADMINISTRATOR"), town.charger_id, changes, bus=RecordingBus())
    assert (await Station.get(id=charger.station_id)).minimum_security_profile == 0
