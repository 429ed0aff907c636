"""Tests of what the balancer is told about a site."""

import pytest

from domain import offers, sql
from domain.capabilities import ChargerModels
from domain.models import Charger
from tests.factories import NOW, a_charger, a_site

pytestmark = pytest.mark.usefixtures("database")


async def test_only_a_disabled_charger_that_was_never_heard_is_left_out() -> None:
    """It is not installed yet; one that was connected before may be drawing although somebody disabled it."""
    site = await a_site()
    waiting, planned, switched_off = [await a_charger(site, name) for name in ("waiting", "planned", "switched off")]
    await Charger.filter(id__in=[planned, switched_off]).update(is_enabled=False)
    await sql.execute(
        "UPDATE stations SET epoch = 1 WHERE id = (SELECT station_id FROM chargers WHERE id = $1)", switched_off
    )
    facts = await offers.site(site.id, now=NOW, models=ChargerModels.load())
    assert facts is not None
    assert {charger.id for charger in facts.chargers} == {waiting, switched_off}
