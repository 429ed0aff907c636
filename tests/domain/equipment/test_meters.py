"""The building's meters: who reports them, what is refused, and what becomes of a reading."""

from datetime import timedelta

import pytest

from domain.equipment.circuits import CircuitChanges, update_circuit
from domain.equipment.meters import report_meter
from domain.errors import NotAllowedError, NotFoundError, UnauthenticatedError, ValidationError
from domain.events import CircuitMetered
from domain.ids import new_id
from domain.models import AuditEntry, ChargerStatus, Circuit
from domain.roles import Scope
from domain.units import PhaseAmps
from domain.views.circuit_views import circuit_loads, circuits_by_ids
from tests.factories import NOW, PEOPLE, Town, a_circuit, a_program, a_town
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

RUNNERS = frozenset({"OWNER of installation", "SERVICE", "ADMINISTRATOR"})
READING = PhaseAmps(20.0, 21.5, -3.0)


async def stored(town: Town) -> tuple[object, ...]:
    """The last reading at the main breaker, with its instant."""
    row = await Circuit.get(id=town.site.root_id)
    return (row.meter_l1, row.meter_l2, row.meter_l3, row.metered_at)


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_a_reading_is_stored_and_told_by_those_who_run_the_site(person: str) -> None:
    """OWNER, SERVICE and ADMINISTRATOR; for everyone else there is no circuit, and nothing is stored or told."""
    town, bus = await a_town(), RecordingBus()
    viewer = await town.access(person)
    if person not in RUNNERS:
        with pytest.raises(UnauthenticatedError if person == "not signed in" else NotFoundError):
            await report_meter(viewer, town.site.root_id, READING, bus=bus)
        assert (await stored(town), bus.published) == ((None,) * 4, [])
        return
    await report_meter(viewer, town.site.root_id, READING, bus=bus)
    assert await stored(town) == (20.0, 21.5, -3.0, NOW)
    assert bus.published == [CircuitMetered(installation_id=town.site.id, circuit_id=town.site.root_id)]
    row = (await circuits_by_ids(viewer, [town.site.root_id]))[town.site.root_id]
    assert (row.measured_a, row.measured_at) == (READING, NOW)


async def test_a_program_reports_by_its_scope() -> None:
    """SET_AVAILABLE_CURRENT reports; READ_STATUS sees the circuit and is told what is missing; one of another site sees none."""
    town, bus = await a_town(), RecordingBus()
    meter = await a_program(town.site, scopes=[Scope.SET_AVAILABLE_CURRENT])
    await report_meter(await meter.access(), town.site.root_id, READING, bus=bus)
    reader = await a_program(town.site, scopes=[Scope.READ_STATUS], name="Reader")
    with pytest.raises(NotAllowedError, match="SET_AVAILABLE_CURRENT"):
        await report_meter(await reader.access(), town.site.root_id, READING, bus=bus)
    stranger = await a_program(town.other_site, name="Stranger")
    for circuit_id in (town.site.root_id, new_id()):
        with pytest.raises(NotFoundError):
            await report_meter(await stranger.access(), circuit_id, READING, bus=bus)
    assert len(bus.published) == 1


async def test_an_older_reading_than_the_last_is_ignored() -> None:
    """Nothing is stored or told; one of the same instant replaces it."""
    town, bus = await a_town(), RecordingBus()
    service = await town.access("SERVICE")
    second = NOW - timedelta(seconds=5)
    for amps, at in ((10.0, second), (30.0, second - timedelta(seconds=1)), (12.0, second)):
        await report_meter(service, town.site.root_id, PhaseAmps.even(amps), measured_at=at, bus=bus)
    assert await stored(town) == (12.0, 12.0, 12.0, second)
    assert len(bus.published) == 2
    await report_meter(
        service, town.site.root_id, READING, measured_at=NOW - timedelta(days=400), bus=bus
    )  # ignored, too: no error
    assert len(bus.published) == 2


async def test_a_clock_a_little_ahead_is_forgiven() -> None:
    """Its reading counts as of now, so that the next one is not older."""
    town = await a_town()
    ahead = NOW + timedelta(seconds=5)
    await report_meter(await town.access("SERVICE"), town.site.root_id, READING, measured_at=ahead, bus=RecordingBus())
    assert (await stored(town))[-1] == NOW


@pytest.mark.parametrize(
    ("reading", "seconds", "paths"),
    [
        (PhaseAmps(float("nan"), 1.0, float("inf")), 0, ["currentA.l1", "currentA.l3"]),
        (PhaseAmps(1260.0, 1260.5, -126.5), 0, ["currentA.l2", "currentA.l3"]),
        (READING, 6, ["measuredAt"]),
        (READING, -86_401, ["measuredAt"]),
    ],
)
async def test_what_cannot_be_is_refused(reading: PhaseAmps, seconds: int, paths: list[str]) -> None:
    """No number, 20 times the fuse, export of twice the fuse, the future, more than a day ago: every field is named, nothing changes."""
    town, bus = await a_town(), RecordingBus()
    at = NOW + timedelta(seconds=seconds)
    with pytest.raises(ValidationError) as caught:
        await report_meter(await town.access("SERVICE"), town.site.root_id, reading, measured_at=at, bus=bus)
    assert [".".join(problem.path) for problem in caught.value.problems] == paths
    assert (await stored(town), bus.published) == ((None,) * 4, [])


async def test_only_the_first_reading_is_in_the_audit_log() -> None:
    """It makes the circuit a metered one; those after it change no setting."""
    town = await a_town()
    service = await town.access("SERVICE")
    for _ in range(3):
        await report_meter(service, town.site.root_id, READING, bus=RecordingBus())
    entries = await AuditEntry.filter(action="circuit.meter")
    assert [(entry.object_id, entry.actor) for entry in entries] == [(town.site.root_id, "SERVICE")]


async def test_a_meter_is_removed_by_installers() -> None:
    """Its reading is gone, and with it what flows there; true gives no meter to a circuit that has none, and keeps one."""
    town = await a_town()
    service = await town.access("SERVICE")
    branch = await a_circuit(town.site.id, parent_id=town.site.root_id)
    await report_meter(service, town.site.root_id, READING, bus=RecordingBus())
    await update_circuit(service, town.site.root_id, CircuitChanges(has_meter=True), bus=RecordingBus())
    assert await stored(town) == (20.0, 21.5, -3.0, NOW)
    for circuit_id, wanted in ((branch, True), (branch, None)):
        with pytest.raises(ValidationError) as caught:
            await update_circuit(service, circuit_id, CircuitChanges(has_meter=wanted), bus=RecordingBus())
        assert caught.value.path == ("hasMeter",)
    owner = await town.access("OWNER of installation")
    with pytest.raises(NotAllowedError):
        await update_circuit(owner, town.site.root_id, CircuitChanges(has_meter=False), bus=RecordingBus())
    await update_circuit(service, town.site.root_id, CircuitChanges(has_meter=False), bus=RecordingBus())
    assert await stored(town) == (None,) * 4
    assert (await circuit_loads(service, [town.site.root_id]))[town.site.root_id].other_load_a is None


async def test_a_removed_circuit_has_no_meter() -> None:
    """It is absent, for an administrator, too."""
    town = await a_town()
    branch = await a_circuit(town.site.id, parent_id=town.site.root_id)
    await Circuit.filter(id=branch).update(removed_at=NOW)
    with pytest.raises(NotFoundError):
        await report_meter(await town.access("ADMINISTRATOR"), branch, READING, bus=RecordingBus())


async def test_what_cars_draw_is_no_other_load() -> None:
    """The rest of a reading is; export leaves nothing."""
    town = await a_town()
    service = await town.access("SERVICE")
    await ChargerStatus.filter(charger_id=town.charger_id).update(current_l1=6.0, current_l2=0.0, current_l3=6.0)
    await report_meter(service, town.site.root_id, READING, bus=RecordingBus())
    load = (await circuit_loads(service, [town.site.root_id]))[town.site.root_id]
    assert load.other_load_a == PhaseAmps(14.0, 21.5, 0.0)
