"""Sites are made, changed and limited within the rights of domain.md §2."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from domain import sql
from domain.access import Access
from domain.current.available_current import clear_available_current, set_available_current
from domain.current.current_limits import Limits, current_in_force
from domain.equipment.installations import Address, InstallationChanges, create_installation, update_installation
from domain.errors import DomainError, NotAllowedError, NotFoundError, UnauthenticatedError, ValidationError
from domain.events import AvailabilityOutdated, InstallationChanged, LocalListOutdated, PermissionChanged
from domain.ids import new_id
from domain.models import Circuit, Installation
from domain.roles import AvailableCurrentMode, InstallationCategory, NetworkType, Role
from domain.units import PhaseAmps
from domain.views.installation_views import InstallationRow, installations_by_ids
from tests.factories import NOW, PEOPLE, Town, a_person, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

ADDRESS = Address("Fjordveien 1", "0250", "Oslo", "no")
CONTROL = frozenset({"OWNER of installation", "SERVICE", "ADMINISTRATOR"})


async def _create(viewer: Access, bus: RecordingBus, *, is_open_to_all: bool = False) -> InstallationRow:
    made = await create_installation(
        viewer,
        name=" Garage ",
        address=ADDRESS,
        time_zone="Europe/Oslo",
        currency="nok",
        category=InstallationCategory.COMMUNITY,
        network_type=NetworkType.IT_3_PHASE,
        main_breaker_a=63,
        bus=bus,
        is_open_to_all=is_open_to_all,
    )
    renewed = await access(viewer.person())
    return (await installations_by_ids(renewed, [made]))[made]


async def test_an_administrator_makes_a_site_with_its_main_breaker() -> None:
    """Its root circuit carries the main breaker; codes are in upper case; the audit log knows who made it."""
    bus = RecordingBus()
    row = await _create(await access(await a_person("Ada", is_administrator=True)), bus)
    assert (row.name, row.currency, row.main_breaker_a) == ("Garage", "NOK", 63.0)
    assert row.address == Address("Fjordveien 1", "0250", "Oslo", "NO")
    assert row.available_current_a == PhaseAmps.even(63.0)
    root = await Circuit.get(installation_id=row.id)
    assert (root.parent_id, root.breaker) == (None, PhaseAmps.even(63.0))
    assert bus.published == [InstallationChanged(installation_id=row.id)]
    entry = await sql.row("SELECT actor, action, installation_id FROM audit_entries")
    assert entry is not None
    assert (entry["actor"], entry["action"]) == ("Ada", "installation.create")
    assert sql.uuid_of(entry["installation_id"]) == row.id


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_where_it_is_not_open_only_administrators_make_sites(person: str) -> None:
    """For all others nothing is made."""
    viewer = await (await a_town()).access(person)
    if person == "ADMINISTRATOR":
        await _create(viewer, RecordingBus())
        return
    with pytest.raises(UnauthenticatedError if person == "not signed in" else NotAllowedError):
        await _create(viewer, RecordingBus())
    assert await Installation.all().count() == 2


async def test_where_it_is_open_the_maker_gets_service() -> None:
    """And hears of it on their streams."""
    person = await a_person()
    bus = RecordingBus()
    row = await _create(await access(person), bus, is_open_to_all=True)
    assert row.viewer_roles == [Role.SERVICE]
    assert PermissionChanged(user_id=person, installation_id=row.id) in bus.published


async def test_every_wrong_field_is_named_at_once() -> None:
    """In the input's own words."""
    viewer = await access(await a_person(is_administrator=True))
    with pytest.raises(ValidationError) as caught:
        await create_installation(
            viewer,
            name="",
            address=Address("x" * 201, None, None, "XX"),
            time_zone="../../etc/passwd",
            currency="XXX",
            category=InstallationCategory.PRIVATE,
            network_type=NetworkType.TN_3_PHASE,
            main_breaker_a=float("nan"),
            bus=RecordingBus(),
        )
    assert [".".join(problem.path) for problem in caught.value.problems] == [
        "address.street",
        "address.countryCode",
        "name",
        "timeZone",
        "currency",
        "mainBreakerA",
    ]
    assert await Installation.all().count() == 0


def _refused(person: str) -> type[DomainError]:
    if person == "not signed in":
        return UnauthenticatedError
    return NotFoundError if person == "stranger" else NotAllowedError


async def _update(town: Town, person: str, changes: InstallationChanges) -> RecordingBus:
    bus = RecordingBus()
    await update_installation(await town.access(person), town.site.id, changes, bus=bus)
    return bus


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_a_site_is_renamed_by_those_who_run_it(person: str) -> None:
    """OWNER, SERVICE and ADMINISTRATOR."""
    town = await a_town()
    if person in CONTROL:
        bus = await _update(town, person, InstallationChanges(name="New name"))
        assert bus.published == [InstallationChanged(installation_id=town.site.id)]
        assert (await Installation.get(id=town.site.id)).name == "New name"
        entry = await sql.row("SELECT state_before, state_after FROM audit_entries")
        assert entry is not None
        assert json.loads(entry["state_before"]) == {"name": "Fjordveien garage"}
        assert json.loads(entry["state_after"]) == {"name": "New name"}
        return
    with pytest.raises(_refused(person)):
        await _update(town, person, InstallationChanges(name="New name"))
    assert (await Installation.get(id=town.site.id)).name == "Fjordveien garage"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (InstallationChanges(name="New name", main_breaker_a=80.0), "mainBreakerA"),
        (InstallationChanges(network_type=NetworkType.IT_3_PHASE), "networkType"),
        (InstallationChanges(three_to_one_switch_a=20.0), "threeToOnePhaseSwitchCurrentA"),
        (InstallationChanges(three_to_one_switch_a=None), "threeToOnePhaseSwitchCurrentA"),
    ],
)
async def test_an_owner_does_not_set_breakers(changes: InstallationChanges, word: str) -> None:
    """The field that is not theirs is named and nothing changes; the installer may."""
    town = await a_town()
    with pytest.raises(NotAllowedError) as caught:
        await _update(town, "OWNER of installation", changes)
    assert caught.value.path == (word,)
    assert (await Installation.get(id=town.site.id)).name == "Fjordveien garage"
    await _update(town, "SERVICE", changes)


async def test_what_cannot_be_empty_cannot_be_cleared() -> None:
    """None clears the switch current only."""
    town = await a_town()
    changes = InstallationChanges(
        name=None, address=None, is_active=None, main_breaker_a=None, three_to_one_switch_a=None
    )
    with pytest.raises(ValidationError) as caught:
        await _update(town, "SERVICE", changes)
    assert {problem.path for problem in caught.value.problems} == {
        ("name",),
        ("address",),
        ("isActive",),
        ("mainBreakerA",),
    }


async def test_chargers_are_told_when_a_site_is_closed_or_opened() -> None:
    """Their lists and whether they are in service follow; nothing else about a site concerns them."""
    town, bus = await a_town(), RecordingBus()
    viewer = await town.access("ADMINISTRATOR")
    told = [AvailabilityOutdated(installation_id=town.site.id), LocalListOutdated(installation_id=town.site.id)]
    await update_installation(viewer, town.site.id, InstallationChanges(name="Else"), bus=bus)
    assert not any(event in told for event in bus.published)
    await update_installation(viewer, town.site.id, InstallationChanges(is_active=False), bus=bus)
    assert all(event in bus.published for event in told)


async def test_a_network_in_which_a_charger_could_not_hang_is_refused() -> None:
    """The chargers are named."""
    town = await a_town()
    with pytest.raises(ValidationError) as caught:
        await _update(town, "SERVICE", InstallationChanges(network_type=NetworkType.TN_1_PHASE))
    assert [problem.path for problem in caught.value.problems] == [("networkType",)] * 2
    assert "Space 1" in caught.value.message


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_the_available_current_is_set_by_those_who_run_the_site(person: str) -> None:
    """OWNER, SERVICE and ADMINISTRATOR; an absent site is a hidden one."""
    town = await a_town()
    viewer = await town.access(person)
    wanted = PhaseAmps(40.0, 41.0, 42.0)
    if person not in CONTROL:
        with pytest.raises(_refused(person)):
            await set_available_current(viewer, town.site.id, wanted, bus=RecordingBus())
        assert (await Installation.get(id=town.site.id)).available_l1 is None
        return
    await set_available_current(viewer, town.site.id, wanted, bus=RecordingBus())
    row = (await installations_by_ids(viewer, [town.site.id]))[town.site.id]
    assert row.available_current_a == wanted
    await clear_available_current(viewer, town.site.id, bus=RecordingBus())
    row = (await installations_by_ids(viewer, [town.site.id]))[town.site.id]
    assert row.available_current_a == PhaseAmps.even(63.0)
    with pytest.raises(NotFoundError):
        await set_available_current(viewer, new_id(), wanted, bus=RecordingBus())


async def test_a_limit_with_an_end_gives_way_to_the_fallback() -> None:
    """From its end on, to the second; a later limit leaves the fallback as it was."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    fallback, wanted = PhaseAmps.even(10.0), PhaseAmps.even(50.0)
    await set_available_current(owner, town.site.id, wanted, fallback=fallback, bus=RecordingBus())
    await set_available_current(owner, town.site.id, wanted, valid_for_s=60, bus=RecordingBus())
    for seconds, expected in ((59, wanted), (60, fallback)):
        viewer = await town.access("OWNER of installation", now=NOW + timedelta(seconds=seconds))
        assert (await installations_by_ids(viewer, [town.site.id]))[town.site.id].available_current_a == expected


async def test_a_limit_above_the_main_breaker_is_refused() -> None:
    """On each line, below zero too, with a time that is no time: all at once."""
    town = await a_town()
    with pytest.raises(ValidationError) as caught:
        await set_available_current(
            await town.access("SERVICE"),
            town.site.id,
            PhaseAmps(63.0, 63.1, -1.0),
            valid_for_s=0,
            fallback=PhaseAmps(0.0, 0.0, float("inf")),
            bus=RecordingBus(),
        )
    assert [".".join(problem.path) for problem in caught.value.problems] == [
        "availableCurrentA.l2",
        "availableCurrentA.l3",
        "fallbackCurrentA.l3",
        "validForSeconds",
    ]


@pytest.mark.parametrize("mode", [AvailableCurrentMode.SCHEDULE, AvailableCurrentMode.METER])
async def test_a_mode_without_a_source_is_refused(mode: AvailableCurrentMode) -> None:
    """No schedule, no meter: nothing would set the limit."""
    town = await a_town()
    with pytest.raises(ValidationError):
        await clear_available_current(await town.access("SERVICE"), town.site.id, mode=mode, bus=RecordingBus())


def test_no_limit_is_above_the_main_breaker() -> None:
    """A breaker that became smaller after the limit was set still holds."""
    small = PhaseAmps.even(25.0)
    chosen = PhaseAmps(10.0, 40.0, 25.0)
    manual = Limits(mode=AvailableCurrentMode.MANUAL, time_zone="Europe/Oslo")
    for limits, expected in (
        (replace(manual, chosen=chosen), PhaseAmps(10.0, 25.0, 25.0)),
        (replace(manual, fallback=chosen), small),
        (replace(manual, chosen=chosen, expires_at=NOW), small),
    ):
        assert current_in_force(limits, breaker=small, now=NOW) == expected


async def test_a_smaller_main_breaker_than_its_safe_current_is_refused() -> None:
    """The contradiction is told before anything is stored."""
    site = await a_site()
    await Circuit.filter(id=site.root_id).update(safe_l1=40.0)
    viewer = await access(await a_person(is_administrator=True))
    with pytest.raises(ValidationError) as caught:
        await update_installation(viewer, site.id, InstallationChanges(main_breaker_a=32.0), bus=RecordingBus())
    assert caught.value.path == ("mainBreakerA",)
