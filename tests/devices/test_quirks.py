"""Every fault of real firmware that the simulator knows, against a real server: each charge is stored once, with the Wh of its meter."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from devices.service import DeviceOptions
from devices.simulator.fleet import Fleet
from devices.simulator.ledger import Happening, Kind, Listener
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks
from domain import sql
from domain.clock import SystemClock
from domain.roles import Role, SessionFlag
from tests.devices.server import Registered, a_registered_charger, a_server
from tests.factories import Site, a_card, a_grant, a_person, a_site
from tests.servers import free_port

CARD = "04A1B2C3"
AWAY = Quirks(disconnects_every_s=1.0, disconnected_for_s=0.4)
QUIRKS: Mapping[str, Quirks] = {
    "none": Quirks(),
    "retries with new ids": Quirks(duplicate_rate=0.5, answer_loss_rate=0.3),
    "ends with id 0": Quirks(forgets_transaction_ids=True, duplicate_rate=0.3, answer_loss_rate=0.2),
    "old statuses after an outage": replace(AWAY, replays_statuses=True),
    "boots after an outage": replace(AWAY, boots_on_reconnect=True),
    "no offline flag": replace(AWAY, marks_offline=False),
    "1970 until the boot": Quirks(forgets_clock=True, loses_power_every_s=1.0),
    "local time marked as UTC": replace(AWAY, local_time_ahead_s=7_200.0),
    "no zone": Quirks(is_zoneless=True),
    "a register in kWh": Quirks(meters_in_kwh=True),
    "a register from 0": replace(AWAY, counts_from_start=True),
    "no pongs": Quirks(ignores_pings=True),
    "late readings": Quirks(late_reading_rate=0.5),
    "little memory": replace(AWAY, memory=4),
    "power is lost in a charge": Quirks(loses_power_every_s=1.0),
    "any order": replace(AWAY, reorders_within=5, duplicate_rate=0.3, answer_loss_rate=0.1),
    "the cable first": Quirks(begins_with_cable=True),
}
PROTOCOLS = ("ocpp1.6", "ocpp2.0.1")
RUNS_S = 8.0
CLOCK_IS_WRONG = frozenset({"local time marked as UTC"})


def fleet_of(url: str, chargers: Mapping[tuple[str, str], Registered], listener: Listener | None = None) -> Fleet:
    """One charger for each quirk in each version of OCPP, with cars that come and go all the time."""
    plans = tuple(
        ChargerPlan(identity=one.identity, password=one.password, protocol=protocol, quirks=QUIRKS[quirk])
        for (quirk, protocol), one in chargers.items()
    )
    plan = Plan(
        chargers=plans,
        habits=Habits(stay_s=(0.5, 2.0), away_s=(0.1, 0.5), id_tags=(CARD,)),
        step_s=0.1,
        sample_every_s=1,
        connect_over_s=0.2,
        call_timeout_s=5.0,
        retry_after_s=0.05,
        reconnect_after_s=(0.05, 0.2),
        restart_s=0.1,
        drain_s=20.0,
    )
    return Fleet(url, plan, seed=5, listener=listener)


async def stored(charger: Registered) -> Sequence[Mapping[str, Any]]:
    """What is stored of its charges."""
    return await sql.rows(
        "SELECT state, energy_wh, flags, started_at FROM charge_sessions WHERE charger_id = $1 AND replaced_by_id IS NULL"
        " ORDER BY started_at, id",
        charger.charger_id,
    )


@pytest.fixture
async def site(database: Database) -> Site:
    made = await a_site()
    person = await a_person()
    await a_card(person, number=CARD)
    await a_grant(Role.USER, made, user_id=person)
    await sql.execute("UPDATE installations SET allows_concurrent = $2 WHERE id = $1", made.id, True)
    return made


async def test_no_quirk_costs_a_charge_or_a_wh(site: Site, bus: RedisBus) -> None:
    """One row a charge, ended, with the energy that the charger's own account says; wrong clocks are flagged, right ones are not."""
    chargers = {
        (quirk, protocol): await a_registered_charger(site, f"{quirk} {protocol}", identity=f"Q{number}-{protocol}")
        for number, quirk in enumerate(QUIRKS)
        for protocol in PROTOCOLS
    }
    async with a_server(bus, options=DeviceOptions(meter_interval_s=1, check_every_s=3600)) as server:
        fleet = fleet_of(server.url("").rstrip("/"), chargers)
        ledger = await fleet.run(duration_s=RUNS_S)
    assert (ledger.counts[Kind.MISUNDERSTOOD], ledger.counts[Kind.LOST]) == (0, 0)
    wrong = {}
    for (quirk, protocol), charger in chargers.items():
        told = [one.energy_wh for one in ledger.ended() if one.charger == charger.identity]
        rows = await stored(charger)
        assert len(told) > 1, (quirk, protocol)
        flags = [SessionFlag(row["flags"]) for row in rows]
        is_flagged = any(SessionFlag.CLOCK_UNRELIABLE in one for one in flags)
        kept = ([row["state"] for row in rows], sorted(row["energy_wh"] for row in rows), is_flagged)
        # Whether a car comes just before a boot is chance.
        is_wrong = is_flagged if quirk == "1970 until the boot" else quirk in CLOCK_IS_WRONG
        expected = (["ENDED"] * len(told), sorted(told), is_wrong)
        if kept != expected:
            wrong[quirk, protocol] = (kept, expected)
    assert not wrong, "\n".join(f"{key}: {value}" for key, value in wrong.items())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_charges_before_the_first_boot_keep_their_wh_and_say_that_their_dates_are_wrong(
    site: Site, bus: RedisBus, protocol: str
) -> None:
    """A charger whose clock stands at 1970 charges while nobody is there to tell; nothing is dated before it was installed."""
    charger = await a_registered_charger(site)
    happened: asyncio.Queue[Happening] = asyncio.Queue()
    port = free_port()
    fleet = fleet_of(f"ws://127.0.0.1:{port}/ocpp", {("1970 until the boot", protocol): charger}, happened.put_nowait)
    running = asyncio.create_task(fleet.run())
    async with asyncio.timeout(20):
        while (await happened.get()).kind is not Kind.ENDED:
            pass
        async with a_server(bus, options=DeviceOptions(check_every_s=3600), port=port):
            while (await happened.get()).kind is not Kind.ACKNOWLEDGED:
                pass
            fleet.stop()
            await running
    rows = await stored(charger)
    told = fleet.ledger.ended()
    assert sorted(row["energy_wh"] for row in rows) == sorted(one.energy_wh for one in told)
    flags = [SessionFlag(row["flags"]) for row in rows]
    before_boot = [one for one in flags if SessionFlag.CLOCK_UNRELIABLE in one]
    assert before_boot
    assert all(SessionFlag.OFFLINE in one for one in before_boot), flags
    assert all(abs(sql.instant_of(row["started_at"]) - SystemClock().now()) < timedelta(hours=1) for row in rows)
