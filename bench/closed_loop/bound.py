"""The most energy that foresight could have delivered on a day: a linear program over slots of two minutes.

It knows every jump of the household beforehand, needs no minimum, no ramp, no rotation and no confirmation: no controller can deliver more.
"""

from collections.abc import Iterator
from typing import Any, Final

import highspy

from balancing.circuit import LINES, Lines
from bench.closed_loop.cars import NEUTRAL_V, Charger
from bench.closed_loop.judge import Judge, Verdict, verdict
from bench.closed_loop.site import Site
from domain.roles import NetworkType

SLOT_S: Final = 120


def offline_bound(judge: Judge, chargers: list[Charger], below: dict[str, list[str]]) -> float | None:
    """kWh. None in a network without neutral, whose line currents are not linear."""
    if judge.scenario.network is not NetworkType.TN_3_PHASE:
        return None
    model = highspy.Highs()  # type: ignore[no-untyped-call]  # the library has no types
    model.silent()
    slots = range(0, len(judge.other), SLOT_S)
    on_line: dict[tuple[str, int, int], list[Any]] = {}
    gained = []
    for charger in chargers:
        plan = charger.plan.car
        if plan is None:
            continue
        delivered = []
        for slot in slots:
            present_s = min(slot + SLOT_S, plan.leaves_at_s or 10**9, len(judge.other)) - max(slot, plan.plugs_at_s)
            most_a = min(plan.most_a, charger.plan.max_a) * max(0, present_s) / SLOT_S
            used = []
            for lines in _modes(charger):
                current = model.addVariable(lb=0, ub=most_a)
                used.append(current)
                delivered.append(current * (NEUTRAL_V * len(lines) * SLOT_S / 3.6e6))
                for line in lines:
                    on_line.setdefault((charger.plan.name, slot, line.place), []).append(current)
            model.addConstr(sum(used) <= most_a)
        model.addConstr(sum(delivered) <= plan.needs_kwh)
        gained.extend(delivered)
    for name, fuse in judge.fuses.items():
        for slot in slots:
            seconds = judge.other[slot : slot + SLOT_S]
            for line in LINES:
                room = sum(max(0.0, fuse.plan.fuse_a[line.place] - one[name][line.place]) for one in seconds) / SLOT_S
                flowing = [c for one in below[name] for c in on_line.get((one, slot, line.place), ())]
                if flowing:
                    model.addConstr(sum(flowing) <= room)
    if not gained:
        return None
    model.maximize(sum(gained))
    return float(model.getInfo().objective_function_value)


def _modes(charger: Charger) -> Iterator[Lines]:
    """The sets of lines on which its car could ever be fed."""
    plan = charger.plan.car
    if plan is None:
        return
    wiring = charger.wiring
    yield wiring[: min(plan.phases, len(wiring))]
    if charger.plan.can_switch and len(wiring) == 3:
        yield from ((line,) for line in (wiring if charger.plan.takes_phase_to_use else wiring[:1]))


def judged(site: Site) -> Verdict:
    """The verdict on a day that was lived."""
    return verdict(site.judge, site.chargers, bound=lambda: offline_bound(site.judge, site.chargers, site.below))
