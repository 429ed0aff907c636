"""The tree of circuits: who changes it, and what keeps it a tree."""

import pytest

from domain.equipment.circuits import CircuitChanges, create_circuit, remove_circuit, update_circuit
from domain.errors import (
    ConflictError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    UnauthenticatedError,
    ValidationError,
)
from domain.events import InstallationChanged
from domain.ids import new_id
from domain.models import ChargerStatus, Circuit
from domain.units import PhaseAmps
from domain.views.circuit_views import circuit_loads, circuits_by_ids, circuits_of_installations
from tests.factories import PEOPLE, a_charger, a_circuit, a_site, a_town
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

INSTALLERS = frozenset({"SERVICE", "ADMINISTRATOR"})
BREAKER = PhaseAmps.even(40.0)


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_circuits_are_made_changed_and_removed_by_installers(person: str) -> None:
    """Owners see them and are told so; for everyone else there is none."""
    town = await a_town()
    viewer = await town.access(person)
    branch = await a_circuit(town.site.id, parent_id=town.site.root_id)
    bus = RecordingBus()
    if person in INSTALLERS:
        made = await create_circuit(viewer, town.site.id, name="B", breaker=BREAKER, bus=bus)
        await update_circuit(viewer, made, CircuitChanges(parent_id=branch, name="C"), bus=bus)
        row = (await circuits_by_ids(viewer, [made]))[made]
        assert (row.name, row.parent_id, row.breaker_a) == ("C", branch, BREAKER)
        await remove_circuit(viewer, made, bus=bus)
        assert await circuits_by_ids(viewer, [made]) == {}
        assert bus.published == [InstallationChanged(installation_id=town.site.id)] * 3
        return
    not_signed_in = person == "not signed in"
    sees_site = UnauthenticatedError if not_signed_in else NotFoundError if person == "stranger" else NotAllowedError
    with pytest.raises(sees_site):
        await create_circuit(viewer, town.site.id, name="B", breaker=BREAKER, bus=bus)
    sees = NotAllowedError if person == "OWNER of installation" else NotFoundError
    for circuit_id in (branch, new_id()):
        expected = UnauthenticatedError if not_signed_in else sees if circuit_id == branch else NotFoundError
        with pytest.raises(expected):
            await update_circuit(viewer, circuit_id, CircuitChanges(name="C"), bus=bus)
        with pytest.raises(expected):
            await remove_circuit(viewer, circuit_id, bus=bus)
    assert bus.published == []
    assert (await Circuit.get(id=branch)).name == "Circuit A"


async def test_a_parent_of_another_site_is_absent() -> None:
    """Even for an administrator, who sees both."""
    town = await a_town()
    viewer = await town.access("ADMINISTRATOR")
    for parent_id in (town.other_site.root_id, new_id()):
        with pytest.raises(NotFoundError) as caught:
            await create_circuit(
                viewer, town.site.id, name="B", breaker=BREAKER, parent_id=parent_id, bus=RecordingBus()
            )
        assert caught.value.path == ("parentId",)


async def test_a_circuit_cannot_hang_below_itself() -> None:
    """Neither directly nor through others; the main breaker hangs below nothing."""
    town = await a_town()
    viewer = await town.access("SERVICE")
    upper = await a_circuit(town.site.id, parent_id=town.site.root_id, name="Upper")
    lower = await a_circuit(town.site.id, parent_id=upper, name="Lower")
    for circuit_id, parent_id in ((upper, lower), (upper, upper), (town.site.root_id, lower)):
        with pytest.raises(ValidationError) as caught:
            await update_circuit(viewer, circuit_id, CircuitChanges(parent_id=parent_id), bus=RecordingBus())
        assert caught.value.path == ("parentId",)
    await update_circuit(viewer, lower, CircuitChanges(parent_id=None), bus=RecordingBus())
    assert (await Circuit.get(id=lower)).parent_id == town.site.root_id


async def test_a_child_breaker_may_exceed_its_parents() -> None:
    """The parent still protects it; safe current and assumed load stay within the circuit's own."""
    town = await a_town()
    viewer = await town.access("SERVICE")
    made = await create_circuit(
        viewer, town.site.id, name="B", breaker=PhaseAmps.even(100.0), safe_current=BREAKER, bus=RecordingBus()
    )
    with pytest.raises(ValidationError) as caught:
        await update_circuit(
            viewer,
            made,
            CircuitChanges(breaker=PhaseAmps(100.0, 30.0, 0.0), assumed_other_load=PhaseAmps(101.0, 0.0, 0.0)),
            bus=RecordingBus(),
        )
    assert [".".join(problem.path) for problem in caught.value.problems] == [
        "breakerA.l3",
        "safeCurrentA.l2",
        "safeCurrentA.l3",
        "assumedOtherLoadA.l1",
    ]


async def test_a_circuit_in_use_is_not_removed() -> None:
    """Chargers or circuits below it, or the whole site behind it."""
    town = await a_town()
    viewer = await town.access("SERVICE")
    with_charger = await a_circuit(town.site.id, parent_id=town.site.root_id)
    await a_charger(town.site, circuit_id=with_charger)
    with_circuit = await a_circuit(town.site.id, parent_id=town.site.root_id)
    await a_circuit(town.site.id, parent_id=with_circuit)
    for circuit_id in (with_charger, with_circuit, town.site.root_id):
        with pytest.raises(ConflictError) as caught:
            await remove_circuit(viewer, circuit_id, bus=RecordingBus())
        assert caught.value.code is ErrorCode.IN_USE
    assert await Circuit.filter(removed_at__isnull=False).count() == 0


async def test_the_tree_comes_parents_first() -> None:
    """Then by name, whatever the order of their making."""
    town = await a_town()
    b = await a_circuit(town.site.id, parent_id=town.site.root_id, name="B")
    a = await a_circuit(town.site.id, parent_id=town.site.root_id, name="a")
    below_b = await a_circuit(town.site.id, parent_id=b, name="A below B")
    trees = await circuits_of_installations(await town.access("SERVICE"), [town.site.id, town.other_site.id])
    assert [row.id for row in trees[town.site.id]] == [town.site.root_id, a, b, below_b]
    assert list(trees) == [town.site.id]


async def test_a_circuit_carries_what_hangs_below_it() -> None:
    """Allotted currents add up to the root; the rest of what its meter reads is other load."""
    site = await a_site()
    town = await a_town()
    branch = await a_circuit(site.id, parent_id=site.root_id)
    on_branch, on_root = await a_charger(site, circuit_id=branch), await a_charger(site)
    await ChargerStatus.filter(charger_id=on_branch).update(
        allocated_a=16.0, allocated_phases="L1L2L3", current_l1=15.0, current_l2=15.0, current_l3=14.0
    )
    await ChargerStatus.filter(charger_id=on_root).update(allocated_a=10.0, allocated_phases="L2", current_l2=9.0)
    await Circuit.filter(id=site.root_id).update(meter_l1=20.0, meter_l2=30.0, meter_l3=10.0)
    loads = await circuit_loads(await town.access("ADMINISTRATOR"), [site.root_id, branch])
    assert loads[branch].allocated_a == PhaseAmps.even(16.0)
    assert loads[branch].other_load_a is None
    assert loads[site.root_id].allocated_a == PhaseAmps(16.0, 26.0, 16.0)
    assert loads[site.root_id].other_load_a == PhaseAmps(5.0, 6.0, 0.0)
