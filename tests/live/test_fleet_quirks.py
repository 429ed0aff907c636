"""Half a garage with bad firmware: repeated messages, lost answers, broken links. No Wh, no session and no ampere is off."""

from pathlib import Path

from app.demo.garage import BREAKER_A, CIRCUIT_A, CIRCUITS, OWNER, Garage, Space
from app.demo.portal import Json, portal_of, sign_in
from app.demo.portal import Portal as Socket
from devices.simulator import Fleet, Ledger
from devices.simulator.ledger import Kind
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks
from domain.clock import SystemClock
from tests.live.house import Portal, running_portal

RUNS_S = 12.0
RESTLESS = Quirks(
    duplicate_rate=0.3,
    answer_loss_rate=0.1,
    disconnects_every_s=5.0,
    disconnected_for_s=0.5,
    begins_with_cable=True,  # means nothing in OCPP 1.6
)
SLACK_A = 1e-9

SESSIONS = """
query Sessions($since: DateTime!, $after: String) {
  sessions(first: 100, after: $after, where: {startedAt: {gte: $since}}) {
    nodes { state energyKwh startedAt endedAt charger { name } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def restless_fleet(portal: Portal) -> Fleet:
    """Every second charger misbehaves, in either version of OCPP, and has cars; the others are idle, and hold nothing back from them."""
    chargers = tuple(
        _plan(space, is_restless=number % 2 == 0, protocol="ocpp1.6" if number % 4 == 0 else "ocpp2.0.1")
        for number, space in enumerate(portal.garage.spaces)
    )
    plan = Plan(
        chargers=chargers,
        habits=None,
        begins_unlimited=False,
        step_s=0.1,
        sample_every_s=1,
        connect_over_s=0.5,
        call_timeout_s=5.0,
        retry_after_s=0.05,
        reconnect_after_s=(0.1, 0.5),
        drain_s=15.0,
    )
    return Fleet(portal.ocpp_url, plan, seed=11)


def _plan(space: Space, *, is_restless: bool, protocol: str) -> ChargerPlan:
    habits = Habits(stay_s=(2.0, 6.0), away_s=(0.2, 1.0), id_tags=(space.card,)) if is_restless else None
    return ChargerPlan(
        identity=space.identity,
        password=space.password,
        rotation=space.rotation,
        protocol=protocol,
        quirks=RESTLESS if is_restless else Quirks(),
        habits=habits,
        visits=None if is_restless else (),
    )


async def test_bad_firmware_costs_no_wh_and_no_ampere(home: Path) -> None:
    """One stored session a charge, the same Wh as the meters, nothing misunderstood, and no line ever offered more than its fuse."""
    began = SystemClock().now()
    async with running_portal(home, LADE_METER_INTERVAL_S="1") as portal:
        fleet = restless_fleet(portal)
        ledger = await fleet.run(duration_s=RUNS_S)
        token = await sign_in(portal.graphql_url, OWNER)
        async with portal_of(portal.graphql_url, token) as owner:
            stored = await sessions_since(owner, began.isoformat())
        assert '"level": "error"' not in portal.log
    assert len(ledger.ended()) == len(ledger.sessions) > 12
    assert ledger.counts[Kind.DISCONNECTED] > 12
    assert (ledger.counts[Kind.MISUNDERSTOOD], ledger.counts[Kind.LOST]) == (0, 0)
    assert sorted(map(wh_of, stored)) == sorted(session.energy_wh for session in ledger.sessions)
    assert sum(map(wh_of, stored)) == ledger.energy_wh()
    assert {session["state"] for session in stored} == {"ENDED"}
    fits_every_fuse(ledger, portal.garage)


def fits_every_fuse(ledger: Ledger, garage: Garage) -> None:
    """At every instant, by what was offered to the cars that were there."""
    assert 0 < ledger.peak_line_load() <= BREAKER_A + SLACK_A
    for circuit in range(CIRCUITS):
        of_circuit = [space.identity for space in garage.spaces if space.circuit == circuit]
        assert ledger.peak_line_load(of_circuit) <= CIRCUIT_A + SLACK_A


async def sessions_since(owner: Socket, since: str) -> list[Json]:
    """All that began since then, as the owner sees them."""
    found: list[Json] = []
    after = None
    while True:
        page = (await owner.ask(SESSIONS, since=since, after=after))["sessions"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def wh_of(session: Json) -> int:
    """Its energy in Wh."""
    return round(float(session["energyKwh"]) * 1000)
