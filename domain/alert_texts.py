"""What alerts mean: how bad each kind is, and the words for it. Pure."""

from collections.abc import Mapping

from domain.roles import AlertKind, Severity

SEVERITIES: Mapping[AlertKind, Severity] = {
    AlertKind.VEHICLE_COMMUNICATION: Severity.INFO,
    AlertKind.UNKNOWN_CARD_REPEATED: Severity.INFO,
    AlertKind.OFFLINE_SESSIONS_RECEIVED: Severity.INFO,
    AlertKind.GROUND_FAULT: Severity.CRITICAL,
    AlertKind.CONTACTOR_WELDED: Severity.CRITICAL,
    AlertKind.CIRCUIT_OVERLOAD: Severity.CRITICAL,
    AlertKind.READER_FAULT: Severity.WARNING,
    AlertKind.CHARGER_OFFLINE: Severity.WARNING,
    AlertKind.NO_CURRENT: Severity.WARNING,
    AlertKind.SECURITY: Severity.WARNING,
    AlertKind.METER_STALE: Severity.WARNING,
    AlertKind.CLOCK_UNRELIABLE: Severity.WARNING,
}
"""Everything else is an ERROR."""

WORDS: Mapping[AlertKind, str] = {
    AlertKind.UNKNOWN: "The charger reports a fault.",
    AlertKind.CHARGER_OFFLINE: "The charger has not been heard of. Check its power and its network.",
    AlertKind.INSTALLATION_OFFLINE: "More than half of the chargers have not been heard of. Check the network and the power of the place.",
    AlertKind.CABLE_FAULT: "The charger reports a fault of its cable or plug.",
    AlertKind.CONNECTOR_LOCK: "The connector does not lock or unlock. Check that nothing blocks the plug.",
    AlertKind.GROUND_FAULT: "The residual current protection tripped. Do not use the charger until an electrician has looked at it.",
    AlertKind.CONTACTOR_WELDED: "The contactor does not open. Switch off its fuse and call an electrician.",
    AlertKind.OVER_TEMPERATURE: "The charger is too hot and charges less or not at all.",
    AlertKind.OVERCURRENT: "A car drew more current than the charger allows.",
    AlertKind.VOLTAGE: "The mains voltage at the charger is too high or too low.",
    AlertKind.METER_FAULT: "The charger's meter fails; energy may be missing or wrong.",
    AlertKind.READER_FAULT: "The charger's card reader fails. Starting in the app still works.",
    AlertKind.VEHICLE_COMMUNICATION: "The charger and the car do not understand each other.",
    AlertKind.INTERNAL: "The charger reports an internal error.",
    AlertKind.SECURITY: "The charger reports something that concerns its security. Somebody should look at it.",
    AlertKind.NO_CURRENT: "The charger says that it charges, and no current has flowed for ten minutes. Look at the car and the cable.",
    AlertKind.CIRCUIT_OVERLOAD: "More current flows through a fuse than it is made for, although the chargers below it give way. Switch "
    "something off.",
    AlertKind.METER_STALE: "The meter of a fuse is not read any more. The chargers below it share what is safe without it.",
    AlertKind.BALANCER_DEGRADED: "Nobody shares the current among the chargers; they charge slowly, by what they were told for such times.",
    AlertKind.EXTERNAL_AUTHENTICATION_DOWN: "The external system that decides who may charge does not answer. The fail policy of the "
    "installation holds.",
    AlertKind.UNKNOWN_CARD_REPEATED: "Somebody holds a card to the charger again and again that nobody knows.",
    AlertKind.CLOCK_UNRELIABLE: "The charger's clock is wrong. Times of charges that it tells of later may be wrong.",
    AlertKind.OFFLINE_SESSIONS_RECEIVED: "Charges have arrived that happened while the charger was off the net.",
}


def severity_of(kind: AlertKind) -> Severity:
    """How bad it is."""
    return SEVERITIES.get(kind, Severity.ERROR)


def message_of(kind: AlertKind, info: str | None) -> str:
    """What is wrong, in words for people, with what more is known of it."""
    message = WORDS.get(kind, WORDS[AlertKind.UNKNOWN])
    return (f"{message} ({info})" if info else message)[:500]
