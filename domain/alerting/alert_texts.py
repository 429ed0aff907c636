"""What alerts mean: how bad each kind is, and the words for it in the languages that people are written to in. Pure."""

from collections.abc import Mapping

from domain.roles import AlertKind, Language, Severity

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

_ENGLISH: Mapping[AlertKind, str] = {
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
_NORWEGIAN: Mapping[AlertKind, str] = {
    AlertKind.UNKNOWN: "Laderen melder en feil.",
    AlertKind.CHARGER_OFFLINE: "Laderen gir ikke lyd fra seg. Se etter strøm og nettverk.",
    AlertKind.INSTALLATION_OFFLINE: "Mer enn halvparten av laderne gir ikke lyd fra seg. Se etter nettverk og strøm på stedet.",
    AlertKind.CABLE_FAULT: "Laderen melder feil på kabelen eller støpselet.",
    AlertKind.CONNECTOR_LOCK: "Kontakten låser seg ikke, eller låser seg ikke opp. Se etter at ingenting sperrer støpselet.",
    AlertKind.GROUND_FAULT: "Jordfeilvernet har løst ut. Ikke bruk laderen før en elektriker har sett på den.",
    AlertKind.CONTACTOR_WELDED: "Kontaktoren slår ikke av. Slå av sikringen og ring en elektriker.",
    AlertKind.OVER_TEMPERATURE: "Laderen er for varm og lader mindre eller ikke i det hele tatt.",
    AlertKind.OVERCURRENT: "En bil trakk mer strøm enn laderen tillater.",
    AlertKind.VOLTAGE: "Nettspenningen ved laderen er for høy eller for lav.",
    AlertKind.METER_FAULT: "Laderens måler svikter. Energi kan mangle eller være feil.",
    AlertKind.READER_FAULT: "Laderens kortleser svikter. Det går fortsatt an å starte i appen.",
    AlertKind.VEHICLE_COMMUNICATION: "Laderen og bilen forstår ikke hverandre.",
    AlertKind.INTERNAL: "Laderen melder en intern feil.",
    AlertKind.SECURITY: "Laderen melder noe som gjelder sikkerheten dens. Noen bør se på den.",
    AlertKind.NO_CURRENT: "Laderen sier at den lader, men det har ikke gått strøm på ti minutter. Se på bilen og kabelen.",
    AlertKind.CIRCUIT_OVERLOAD: "Det går mer strøm gjennom en sikring enn den er laget for, selv om laderne under den gir seg. Slå av noe.",
    AlertKind.METER_STALE: "Måleren på en sikring blir ikke lest lenger. Laderne under den deler det som er trygt uten den.",
    AlertKind.BALANCER_DEGRADED: "Ingen fordeler strømmen mellom laderne. De lader sakte, etter det som gjelder i slike tilfeller.",
    AlertKind.EXTERNAL_AUTHENTICATION_DOWN: "Det eksterne systemet som bestemmer hvem som får lade, svarer ikke. Reglene for slike "
    "tilfeller gjelder.",
    AlertKind.UNKNOWN_CARD_REPEATED: "Noen holder et ukjent kort mot laderen om og om igjen.",
    AlertKind.CLOCK_UNRELIABLE: "Klokken i laderen går feil. Tidspunkter for ladinger som den melder senere, kan være feil.",
    AlertKind.OFFLINE_SESSIONS_RECEIVED: "Ladinger fra mens laderen var uten nett, har kommet inn.",
}
_WORDS = {Language.EN: _ENGLISH, Language.NB: _NORWEGIAN}

_ENGLISH_HEADS: Mapping[AlertKind, str] = {
    AlertKind.UNKNOWN: "reports a fault",
    AlertKind.CHARGER_OFFLINE: "is offline",
    AlertKind.INSTALLATION_OFFLINE: "more than half of the chargers are offline",
    AlertKind.CABLE_FAULT: "has a cable fault",
    AlertKind.CONNECTOR_LOCK: "does not lock or unlock",
    AlertKind.GROUND_FAULT: "tripped its residual current protection",
    AlertKind.CONTACTOR_WELDED: "does not switch off",
    AlertKind.OVER_TEMPERATURE: "is too hot",
    AlertKind.OVERCURRENT: "sees more current than it allows",
    AlertKind.VOLTAGE: "has too much or too little voltage",
    AlertKind.METER_FAULT: "has a meter that fails",
    AlertKind.READER_FAULT: "has a card reader that fails",
    AlertKind.VEHICLE_COMMUNICATION: "does not understand a car",
    AlertKind.INTERNAL: "reports an internal error",
    AlertKind.SECURITY: "worries about its security",
    AlertKind.NO_CURRENT: "charges without a current",
    AlertKind.CIRCUIT_OVERLOAD: "is overloaded",
    AlertKind.METER_STALE: "has a meter that is not read any more",
    AlertKind.BALANCER_DEGRADED: "nobody shares the current",
    AlertKind.EXTERNAL_AUTHENTICATION_DOWN: "the external system does not answer",
    AlertKind.UNKNOWN_CARD_REPEATED: "is shown an unknown card again and again",
    AlertKind.CLOCK_UNRELIABLE: "has a wrong clock",
    AlertKind.OFFLINE_SESSIONS_RECEIVED: "has told of charges off the net",
}
_NORWEGIAN_HEADS: Mapping[AlertKind, str] = {
    AlertKind.UNKNOWN: "melder en feil",
    AlertKind.CHARGER_OFFLINE: "er uten nett",
    AlertKind.INSTALLATION_OFFLINE: "mer enn halvparten av laderne er uten nett",
    AlertKind.CABLE_FAULT: "har kabelfeil",
    AlertKind.CONNECTOR_LOCK: "låser ikke, eller låser ikke opp",
    AlertKind.GROUND_FAULT: "har løst ut jordfeilvernet",
    AlertKind.CONTACTOR_WELDED: "slår seg ikke av",
    AlertKind.OVER_TEMPERATURE: "er for varm",
    AlertKind.OVERCURRENT: "ser mer strøm enn den tillater",
    AlertKind.VOLTAGE: "har for høy eller for lav spenning",
    AlertKind.METER_FAULT: "har en måler som svikter",
    AlertKind.READER_FAULT: "har en kortleser som svikter",
    AlertKind.VEHICLE_COMMUNICATION: "forstår ikke en bil",
    AlertKind.INTERNAL: "melder en intern feil",
    AlertKind.SECURITY: "er bekymret for sikkerheten sin",
    AlertKind.NO_CURRENT: "lader uten strøm",
    AlertKind.CIRCUIT_OVERLOAD: "er overbelastet",
    AlertKind.METER_STALE: "har en måler som ikke blir lest lenger",
    AlertKind.BALANCER_DEGRADED: "ingen fordeler strømmen",
    AlertKind.EXTERNAL_AUTHENTICATION_DOWN: "det eksterne systemet svarer ikke",
    AlertKind.UNKNOWN_CARD_REPEATED: "får se et ukjent kort om og om igjen",
    AlertKind.CLOCK_UNRELIABLE: "har en klokke som går feil",
    AlertKind.OFFLINE_SESSIONS_RECEIVED: "har meldt ladinger fra uten nett",
}
_HEADS = {Language.EN: _ENGLISH_HEADS, Language.NB: _NORWEGIAN_HEADS}

_BY_CODE: Mapping[str, str] = {
    "ComesAndGoes": "Den kommer og går.",
    "RepeatedRestarts": "Den har startet fire ganger på en time. Se etter strøm og nettverk.",
    "DrawsMoreThanOffered": "Det ble målt mer enn den fikk lov til. De andre gir plass, og den settes på pause hvis det fortsetter.",
}
"""What the portal itself adds to an alert, in Norwegian, by the alert's code; what chargers say stays as they say it."""


def severity_of(kind: AlertKind) -> Severity:
    """How bad it is."""
    return SEVERITIES.get(kind, Severity.ERROR)


def words_of(kind: AlertKind, language: Language = Language.EN) -> str:
    """What is wrong and what to do about it, in whole sentences."""
    words = _WORDS[language]
    return words.get(kind, words[AlertKind.UNKNOWN])


def headline_of(kind: AlertKind, thing: str | None, language: Language = Language.EN) -> str:
    """What is wrong, in a few words, with the thing's name before them where it has one."""
    heads = _HEADS[language]
    what = heads.get(kind, heads[AlertKind.UNKNOWN])
    return f"{thing} {what}" if thing else what[:1].upper() + what[1:]


def details_of(info: str | None, code: str | None, language: Language = Language.EN) -> str | None:
    """What more is known of it."""
    return info if language is Language.EN or not info else _BY_CODE.get(code or "", info)


def message_of(kind: AlertKind, info: str | None) -> str:
    """What is wrong, in words for people, with what more is known of it."""
    message = words_of(kind)
    return (f"{message} ({info})" if info else message)[:500]
