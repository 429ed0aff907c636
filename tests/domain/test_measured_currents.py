"""Tests of the currents that the balancer is told: when they were measured, and when they count as none."""

import pytest

from app.database import Database
from domain.observations import ConnectorStatus
from tests.domain.rig import Rig, a_rig, at, reading


@pytest.fixture
async def rig(database: Database) -> Rig:
    return await a_rig()


async def test_when_currents_were_measured_is_told_by_our_clock(rig: Rig) -> None:
    """The charger's clock is half a minute behind, and a register without currents measures none: the balancer would misjudge both."""
    await rig.start()
    await rig.meter("1", reading(1000, at(1), currents=(16.0, 16.0, 16.0)), received=at(1.5))
    assert (await rig.live()).measured_at == at(1.5)
    await rig.meter("1", reading(1010, at(2)), received=at(2.5))
    live = await rig.live()
    assert (live.measured_at, live.register_wh) == (at(1.5), 1010)


async def test_a_faulted_charger_shows_what_it_measured(rig: Rig) -> None:
    """A fault is no proof that nothing flows: a contactor may be welded."""
    await rig.start()
    await rig.meter("1", reading(1000, at(1), power_w=11000.0, currents=(16.0, 16.0, 16.0)))
    await rig.status(ConnectorStatus.FAULTED, at(2), error="PowerSwitchFailure")
    live = await rig.live()
    assert (live.power_w, live.current_l1) == (11000.0, 16.0)
    await rig.status(ConnectorStatus.AVAILABLE, at(3))
    live = await rig.live()
    assert (live.power_w, live.current_l1) == (0.0, 0.0)
