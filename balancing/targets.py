"""How much more or less than an equal share a car gets for the sake of what its driver wants of the charge. Pure."""

from dataclasses import dataclass

VOLTAGE_V = 230.0
"""Line to neutral in TN, line to line in IT networks (IEC 60038)."""

LEAST_WEIGHT, MOST_WEIGHT = 0.5, 4.0
"""Nobody starves for another's target, and who has what they wanted still charges."""

STEP = 0.25
"""Weights are rounded: a share that moved with every Wh would cost a command every few seconds."""

S_PER_H = 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted of a charge: so much energy, of which so much has flowed, until the car leaves.

    `leaves_in_s` None: when is not known.
    """

    energy_wh: int
    flowed_wh: int = 0
    leaves_in_s: float | None = None


def needed_a(target: Target, kappa: float) -> float | None:
    """The current on each of its lines with which the car just reaches its target; None without a time, infinite when that is past.

    `kappa` is the power per ampere in units of 230 V: the number of lines in TN networks.
    """
    if target.leaves_in_s is None:
        return None
    missing_wh = max(0, target.energy_wh - target.flowed_wh)
    if missing_wh and target.leaves_in_s <= 0:
        return float("inf")
    return missing_wh * S_PER_H / target.leaves_in_s / (VOLTAGE_V * kappa) if missing_wh else 0.0


def weight(target: Target | None, *, kappa: float, fair_a: float) -> float:
    """The weight of a car's share: 1 without a target; else what it needs by what each of the site's cars would get alike, `fair_a`.

    From 0.5 to 4, in steps of 0.25; 0.5 for a target that is reached. A target without a time weighs 1 until then.
    """
    if target is None:
        return 1.0
    if target.flowed_wh >= target.energy_wh:
        return LEAST_WEIGHT
    needed = needed_a(target, kappa)
    if needed is None or fair_a <= 0:
        return 1.0
    parts = min(MOST_WEIGHT, max(LEAST_WEIGHT, needed / fair_a)) / STEP
    return int(parts + 0.5) * STEP
