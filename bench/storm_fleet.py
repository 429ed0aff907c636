"""The fleet of bench.storm: `python -m bench.storm_fleet`, its chargers as one line of JSON on standard input, until it is killed."""

import asyncio
import json
import sys
from itertools import cycle

import uvloop

from devices.simulator import Fleet
from devices.simulator.plan import ChargerPlan, Plan

_CONNECT_OVER_S = 5.0
_RECONNECT_AFTER_S = (0.5, 4.0)


def main() -> None:
    """The chargers live."""
    given = json.loads(sys.stdin.readline())
    chargers = tuple(
        ChargerPlan(identity=identity, password=password, protocol=protocol, visits=())
        for (identity, password), protocol in zip(given["chargers"], cycle(given["protocols"]), strict=False)
    )
    plan = Plan(chargers=chargers, habits=None, connect_over_s=_CONNECT_OVER_S, reconnect_after_s=_RECONNECT_AFTER_S)
    fleet = Fleet(f"ws://127.0.0.1:{given['port']}/ocpp", plan, seed=given["seed"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fleet.run())


if __name__ == "__main__":
    main()
