"""What others take for one decision: acnportal's first come first served and round robin, and an MPC restated with cvxpy.

Runs in an environment of its own (`bench/balancer.py` makes it), reads one JSON object on standard input and writes one.
The MPC is a restatement, not acnportal's own: 12 periods of 5 minutes, charge early and evenly, within limits and demand.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import cvxpy
import numpy as np
from acnportal.algorithms import RoundRobin, SortedSchedulingAlgo, first_come_first_served
from acnportal.algorithms.tests.testing_interface import TestingInterface

HORIZON = 12
PERIOD_MIN = 5
VOLTAGE = 230.0


def interface(site: dict[str, Any]) -> TestingInterface:
    """The site as acnportal knows sites: rows of a matrix with limits."""
    names = [f"s{place}" for place in range(len(site["max"]))]
    many = len(names)
    return TestingInterface(
        {
            "active_sessions": [
                {
                    "station_id": name, "session_id": name, "requested_energy": 20.0, "energy_delivered": 0.0, "arrival": place,
                    "departure": many + 500, "min_rates": 0.0, "max_rates": site["max"][place],
                }
                for place, name in enumerate(names)
            ],
            "infrastructure_info": {
                "constraint_matrix": site["matrix"], "constraint_limits": site["limits"], "phases": [0.0] * many,
                "voltages": [VOLTAGE] * many, "constraint_ids": [f"c{row}" for row in range(len(site["limits"]))],
                "station_ids": names, "max_pilot": site["max"], "min_pilot": [0.0] * many,
                "allowable_pilots": [[0.0, most] for most in site["max"]], "is_continuous": [True] * many,
            },
            "current_time": many,
            "period": PERIOD_MIN,
        }
    )  # fmt: skip


def mpc(site: dict[str, Any]) -> Callable[[], list[float]]:
    """One decision of a model-predictive controller; the problem is stated anew each time, as its sessions change."""
    matrix, limits, most = np.array(site["matrix"]), np.array(site["limits"]), np.array(site["max"])

    def decide() -> list[float]:
        rates = cvxpy.Variable((len(most), HORIZON), nonneg=True)
        early = np.array([(HORIZON - t) / HORIZON for t in range(HORIZON)])
        demand = 20.0 / (VOLTAGE / 1000 * PERIOD_MIN / 60)
        problem = cvxpy.Problem(
            cvxpy.Maximize(cvxpy.sum(rates @ early) - 1e-3 * cvxpy.sum_squares(rates)),
            [rates <= most[:, None], matrix @ rates <= limits[:, None], cvxpy.sum(rates, axis=1) <= demand],
        )
        problem.solve()
        return [float(rate) for rate in rates.value[:, 0]]

    return decide


def acn(algorithm: Any, site: dict[str, Any]) -> Callable[[], list[float]]:
    """One decision of an algorithm of acnportal."""
    known = interface(site)
    algorithm.register_interface(known)

    def decide() -> list[float]:
        rates = algorithm.schedule(known.active_sessions())
        return [float(rates[f"s{place}"][0]) for place in range(len(site["max"]))]

    return decide


def main() -> None:
    site = json.load(sys.stdin)
    found = {}
    peers = {
        "fcfs": (acn(SortedSchedulingAlgo(first_come_first_served), site), 10),
        "rr": (acn(RoundRobin(first_come_first_served, continuous_inc=0.1), site), 2),
        "mpc": (mpc(site), 5),
    }
    for name, (decide, times) in peers.items():
        rates, took = decide(), []
        for _ in range(times):
            begin = time.perf_counter()
            rates = decide()
            took.append(time.perf_counter() - begin)
        found[name] = {"ms": sorted(took)[len(took) // 2] * 1000, "rates": rates}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
