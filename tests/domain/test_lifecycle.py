"""Connections and commands at the machine doors."""

import pytest

from app.database import Database
from domain import lifecycle
from domain.equipment.stations import SecurityProfile, hash_charger_key
from domain.events import ChargerStatusChanged, CommandChanged, InstallationChanged
from domain.ids import new_id
from domain.lifecycle import Arrival, Login
from domain.models import Charger, ChargerStatus, ChargeSession, Command, Station
from domain.observations import ConnectorStatus
from domain.roles import CommandAction, CommandState, OperatingMode
from tests.domain.rig import Rig, a_rig, at, reading
from tests.factories import a_charger, arrived

SECRET = "a secret of at least thirty-two signs"


@pytest.fixture
async def rig(database: Database) -> Rig:
    return await a_rig()


async def test_all_chargers_of_a_station_come_and_go_with_it(rig: Rig) -> None:
    """Both sockets of a station are online with its connection and offline without it, told with the whole state."""
    second = await a_charger(rig.site, "Space 2")
    await Charger.filter(id=second).update(station_id=rig.station_id, evse=2)
    made = await arrived(rig.station_id, process="p2", protocol="ocpp1.6", now=at(0))
    assert made.chargers == {1: rig.charger_id, 2: second}
    assert made.epoch == rig.epoch + 1
    gone = await lifecycle.disconnected({rig.station_id: made.epoch}, now=at(1))
    assert {one.charger_id for one in gone if isinstance(one, ChargerStatusChanged) and not one.is_online} == {
        rig.charger_id,
        second,
    }
    assert InstallationChanged(rig.site.id, chargers_stay=True) in gone


async def test_the_end_of_an_older_connection_changes_nothing(rig: Rig) -> None:
    """The close handler of the first socket does not take the second offline."""
    made = await arrived(rig.station_id, process="p1", protocol="ocpp1.6", now=at(0))
    assert await lifecycle.disconnected({rig.station_id: rig.epoch}, now=at(1)) == []
    assert (await Station.get(id=rig.station_id)).is_connected
    assert made.epoch == rig.epoch + 1


async def test_stations_of_a_dead_process_are_offline(rig: Rig) -> None:
    """A process that stops renewing its lease loses its stations; one that lives keeps them."""
    await lifecycle.process_lives("p1", now=at(0), for_s=30)
    assert await lifecycle.release_dead(now=at(0.4)) == []
    assert await lifecycle.release_dead(now=at(0.6)) != []
    assert not (await ChargerStatus.get(charger_id=rig.charger_id)).is_online
    assert await lifecycle.release_dead(now=at(0.7)) == []


async def test_a_station_without_a_link_here_is_offline(rig: Rig) -> None:
    """A disconnect that could not be stored is made up for, but not while a connection is being made."""
    assert await lifecycle.release_missing("p1", here=[], now=at(-60)) == []
    assert await lifecycle.release_missing("p1", here=[rig.station_id], now=at(0)) == []
    assert await lifecycle.release_missing("p2", here=[], now=at(0)) == []
    assert await lifecycle.release_missing("p1", here=[], now=at(0)) != []
    assert not (await Station.get(id=rig.station_id)).is_connected


async def test_an_ended_process_leaves_no_charger_online(rig: Rig) -> None:
    """What a process held is offline when it has ended."""
    await lifecycle.process_lives("p1", now=at(0), for_s=30)
    await lifecycle.process_ended("p1", now=at(0))
    station = await Station.get(id=rig.station_id)
    assert (station.is_connected, station.disconnected_at) == (False, at(0))


async def test_offline_chargers_show_no_power(rig: Rig) -> None:
    """What flows at a charger that is gone is not known; its mode and session stay."""
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(10, at(1), power_w=3000.0, currents=(13.0, 0.0, 0.0)))
    await lifecycle.disconnected({rig.station_id: rig.epoch}, now=at(2))
    live = await ChargerStatus.get(charger_id=rig.charger_id)
    assert (live.is_online, live.power_w, live.current_l1) == (False, None, None)
    assert (live.mode, live.session_energy_wh) == (OperatingMode.CHARGING, 10)


async def test_a_password_fits_in_any_form(rig: Rig) -> None:
    """Raw, hexadecimal in either case; another one does not, and the coming one is told apart."""
    key, coming = "00ff10aa" * 4, "11" * 16
    await Station.filter(id=rig.station_id).update(
        password_hash=hash_charger_key(key, SECRET), next_password_hash=hash_charger_key(coming, SECRET)
    )
    station = await Station.get(id=rig.station_id)
    stored = (await lifecycle.credentials_of([station.identity])).get(station.identity)
    assert stored is not None
    for given in (key.encode(), key.upper().encode(), bytes.fromhex(key)):
        assert stored.accepts(given, SECRET) == lifecycle.Login(rig.station_id, is_rotation=False)
    assert stored.accepts(coming.encode(), SECRET) == lifecycle.Login(rig.station_id, is_rotation=True)
    assert stored.accepts(b"other", SECRET) is None
    assert stored.accepts(key.encode(), "another secret") is None
    assert await lifecycle.credentials_of(["nobody"]) == {}


async def test_where_a_charger_is(rig: Rig) -> None:
    """The process and epoch of its socket; nowhere when it has none."""
    found = (await lifecycle.whereabouts([rig.charger_id]))[rig.charger_id]
    assert found == lifecycle.Whereabouts(rig.station_id, 1, "p1", rig.epoch)
    await lifecycle.disconnected({rig.station_id: rig.epoch}, now=at(0))
    assert await lifecycle.whereabouts([rig.charger_id]) == {}


async def a_command(rig: Rig, state: CommandState, action: CommandAction = CommandAction.START) -> Command:
    return await Command.create(
        id=new_id(),
        installation_id=rig.site.id,
        charger_id=rig.charger_id,
        action=action,
        state=state,
        requested_at=at(0),
        deadline=at(1),
    )


async def test_a_command_only_moves_on(rig: Rig) -> None:
    """The charger's late word does not take back an effect that was seen."""
    command = await a_command(rig, CommandState.QUEUED)
    assert await lifecycle.command_progressed(command.id, CommandState.SENT, now=at(0)) == [
        CommandChanged(command.id, rig.charger_id, CommandState.SENT)
    ]
    await lifecycle.command_progressed(command.id, CommandState.CONFIRMED, now=at(0))
    assert await lifecycle.command_progressed(command.id, CommandState.ACCEPTED, now=at(0)) == []
    assert (await Command.get(id=command.id)).state is CommandState.CONFIRMED


@pytest.mark.parametrize(
    ("state", "final"),
    [
        (CommandState.QUEUED, CommandState.TIMEOUT),
        (CommandState.SENT, CommandState.TIMEOUT),
        (CommandState.ACCEPTED, CommandState.UNCONFIRMED),
        (CommandState.REJECTED, CommandState.REJECTED),
    ],
)
async def test_every_command_ends_by_its_deadline(rig: Rig, state: CommandState, final: CommandState) -> None:
    """Nothing is open beyond it; what was final stays."""
    command = await a_command(rig, state)
    assert await lifecycle.expire_commands(now=at(0.9)) == []
    await lifecycle.expire_commands(now=at(1))
    assert (await Command.get(id=command.id)).state is final


async def test_a_restart_is_confirmed_by_the_boot(rig: Rig) -> None:
    """The charger said that it would; now it did, and says who it is."""
    command = await a_command(rig, CommandState.ACCEPTED, CommandAction.RESTART)
    await rig.boot(at(0.5))
    assert (await Command.get(id=command.id)).state is CommandState.CONFIRMED
    station = await Station.get(id=rig.station_id)
    assert (station.vendor, station.model, station.serial_number, station.firmware_version) == (
        "Acme",
        "Two",
        "SN-9",
        "1.2",
    )


async def test_the_offer_in_force_shows_and_decides_the_mode(rig: Rig) -> None:
    """A charge that is offered nothing waits for current, one that is paused says so."""
    await rig.start(at(0), meter=0)
    await rig.status(ConnectorStatus.SUSPENDED_EVSE, at(1))
    events = await lifecycle.show_allocation(rig.charger_id, 0.0, "")
    status = events[0]
    assert isinstance(status, ChargerStatusChanged)
    assert (status.mode, status.allocated_a) == (OperatingMode.AWAITING_CURRENT, 0.0)
    await ChargeSession.filter(charger_id=rig.charger_id).update(is_paused=True)
    await lifecycle.show_allocation(rig.charger_id, 0.0, "")
    assert (await ChargerStatus.get(charger_id=rig.charger_id)).mode is OperatingMode.PAUSED
    await lifecycle.show_allocation(rig.charger_id, 16.0, "L1L2L3")
    live = await ChargerStatus.get(charger_id=rig.charger_id)
    assert (live.allocated_a, live.allocated_phases) == (16.0, "L1L2L3")


async def test_the_same_offer_again_is_no_news(rig: Rig) -> None:
    """A version rises only with what people can see."""
    await lifecycle.show_allocation(rig.charger_id, 16.0, "L1L2L3")
    assert await lifecycle.show_allocation(rig.charger_id, 16.0, "L1L2L3") == []


async def test_a_profile_that_rose_meanwhile_is_not_fallen_below(rig: Rig) -> None:
    """Of two sockets that come at the same moment the less secure one does not come after the other."""
    for profile, is_in in ((SecurityProfile.PASSWORD_OVER_TLS, True), (SecurityProfile.PASSWORD, False)):
        arrival = Arrival(Login(rig.station_id, is_rotation=False, profile=profile), "ocpp1.6")
        made = await lifecycle.connected([arrival], process="p2", now=at(0))
        assert (rig.station_id in made) is is_in
    station = await Station.get(id=rig.station_id)
    assert (station.security_profile, station.minimum_security_profile, station.epoch) == (2, 2, rig.epoch + 1)
