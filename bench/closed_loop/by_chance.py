"""Days that nobody wrote: sites, cars, households and troubles by chance, the same for the same seed."""

from random import Random
from typing import Final

from bench.closed_loop.scenario import CarPlan, ChargerPlan, CircuitPlan, LinkPlan, Loss, Scenario, Vector
from domain.roles import NetworkType, PhaseRotation

MINUTES: Final = 60
_THREE: Final = (
    PhaseRotation.RST,
    PhaseRotation.STR,
    PhaseRotation.TRS,
    PhaseRotation.RTS,
    PhaseRotation.SRT,
    PhaseRotation.TSR,
)


def random_day(number: int, *, seed: int) -> Scenario:
    """One day of an hour."""
    rng = Random(f"{seed}:{number}")
    network = rng.choice([NetworkType.TN_3_PHASE] * 3 + [NetworkType.IT_3_PHASE])
    circuits = _circuits(rng)
    chargers = tuple(_charger(rng, place, circuits, network) for place in range(rng.randint(2, 8)))
    return Scenario(
        name=f"random {number}",
        claims="Whatever happens, no fuse is overloaded by our own doing.",
        minutes=MINUTES,
        circuits=circuits,
        chargers=chargers,
        network=network,
        losses=tuple(_losses(rng, chargers, circuits)),
        link=LinkPlan(lost=rng.choice([0.0, 0.0, 0.05, 0.2]), late_s=rng.choice([1.0, 3.0, 15.0])),
        three_to_one_switch_a=rng.choice([None, 6.0, 10.0]),
    )


def _circuits(rng: Random) -> tuple[CircuitPlan, ...]:
    is_metered = rng.random() < 0.6
    household = tuple((at_s, _vector(rng, 12.0)) for at_s in range(0, MINUTES * 60, rng.choice([300, 900, 1800])))
    root = CircuitPlan(
        name="main",
        fuse_a=(lambda fuse: (fuse, fuse, fuse))(float(rng.choice([20, 25, 32, 40, 63]))),
        household_a=household if is_metered else (),
        # What chargers may fall back to is planned beside what the household may take.
        assumed_a=(12.0, 12.0, 12.0) if is_metered else (0.0, 0.0, 0.0),
        safe_a=(6.0, 6.0, 6.0),
        meter_s=rng.choice([5, 10]) if is_metered else None,
    )
    rows = [
        CircuitPlan(name=f"row{place}", parent="main", fuse_a=(lambda fuse: (fuse, fuse, fuse))(rng.choice([16.0, 20.0, 25.0])))
        for place in range(rng.randint(0, 2))
    ]  # fmt: skip
    return (root, *rows)


def _vector(rng: Random, most: float) -> Vector:
    return (round(rng.uniform(0, most), 1), round(rng.uniform(0, most), 1), round(rng.uniform(0, most), 1))


def _charger(rng: Random, place: int, circuits: tuple[CircuitPlan, ...], network: NetworkType) -> ChargerPlan:
    is_it = network is NetworkType.IT_3_PHASE
    one_phase = (PhaseRotation.L1L2, PhaseRotation.L2L3, PhaseRotation.L3L1) if is_it else (
        PhaseRotation.L1, PhaseRotation.L2, PhaseRotation.L3)  # fmt: skip
    comes_s = rng.randint(60, 1800)
    can_switch = rng.random() < 0.4
    return ChargerPlan(
        name=f"P{place}",
        circuit=rng.choice(circuits).name,
        rotation=rng.choice(_THREE if rng.random() < 0.8 else one_phase),
        max_a=rng.choice([16.0, 32.0]),
        fallback_a=rng.choice([None, 0.0, 6.0]),
        measures_every_s=rng.choice([5, 10, 10, 30, None]),
        can_switch=can_switch,
        takes_phase_to_use=can_switch and rng.random() < 0.5,
        keeps_schedules=rng.random() < 0.9,
        priority=rng.choice([0, 0, 0, 1]),
        car=CarPlan(
            phases=rng.choice([1, 2, 3, 3]),
            most_a=rng.choice([8.0, 16.0, 32.0]),
            needs_kwh=rng.choice([0.5, 3.0, 40.0]),
            plugs_at_s=comes_s,
            leaves_at_s=rng.choice([None, comes_s + rng.randint(300, 2400)]),
            ramp=rng.choice([1.0, 2.0, 3.0]),
            tapers_below=rng.choice([0.0, 0.3]),
            is_two_converters=is_it and rng.random() < 0.2,
            says_charging=rng.random() < 0.3,
        ),
    )


def _losses(rng: Random, chargers: tuple[ChargerPlan, ...], circuits: tuple[CircuitPlan, ...]) -> list[Loss]:
    found = []
    if rng.random() < 0.5:
        names = tuple(one.name for one in rng.sample(chargers, rng.randint(1, len(chargers))))
        found.append(Loss(what="charger", at_s=rng.randint(300, 1800), for_s=rng.randint(20, 1800), names=names))
    if rng.random() < 0.3:
        found.append(Loss(what="portal", at_s=rng.randint(600, 2400), for_s=rng.choice([60, 400, 900, 1500])))
    if circuits[0].meter_s is not None and rng.random() < 0.4:
        found.append(Loss(what="meter", at_s=rng.randint(600, 2400), for_s=rng.choice([20, 50, 300]), names=("main",)))
    return found
