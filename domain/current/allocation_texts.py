"""Why a charger gets what it gets, in words for drivers and owners alike: nothing of other people is in them. Pure."""

from domain.roles import BindingLimit

REASONS = {
    BindingLimit.NONE: "Charges as fast as it can.",
    BindingLimit.CAR: "Charges as fast as the car can.",
    BindingLimit.CHARGER: "Charges as fast as the charger can.",
    BindingLimit.CIRCUIT: "Limited by the fuse of {circuit}.",
    BindingLimit.AVAILABLE_CURRENT: "Limited by the current that is available to the site.",
    BindingLimit.FAIR_SHARE: "Shares the current of {circuit} fairly with the other cars.",
    BindingLimit.ROTATION: "Waits for its turn: {circuit} cannot serve more cars at once.",
    BindingLimit.PAUSED: "Nothing is charging.",
    BindingLimit.SCHEDULE: "Limited by the site's schedule.",
    BindingLimit.OFFLINE_RESERVE: "Not reachable: what it may draw on its own is held back for it.",
    BindingLimit.METER_STALE: "Limited because the meter's readings are missing.",
    BindingLimit.OVERLOAD: "Waits: what flows through {circuit} and what is held back for chargers out of reach leaves nothing.",
    BindingLimit.OTHER: "Cannot charge here: its minimum is above what it may ever get.",
}


def reason(limit: BindingLimit, circuit_name: str | None) -> str:
    """What binds a charger, in words."""
    return REASONS[limit].format(circuit=circuit_name or "its circuit")
