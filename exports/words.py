"""What stands around the tables of a file, in the reader's language: English, and Norwegian where that is asked for."""

from collections.abc import Callable, Mapping
from typing import Final

NORWEGIAN_LANGUAGES: Final = frozenset({"nb", "nn", "no"})

Words = Callable[..., str]
"""`words("{count} others", count=3)`: the English text, with its values, in the language."""

_NORWEGIAN: Final[Mapping[str, str]] = {
    "Installation": "Anlegg",
    "Person": "Person",
    "Period": "Periode",
    "Time zone": "Tidssone",
    "Basis": "Grunnlag",
    "Made": "Laget",
    "Revision": "Revisjon",
    "Coverage": "Dekning",
    "Note": "Merknad",
    "None": "Ingen",
    "Total": "Sum",
    "Charge sessions": "Ladeøkter",
    "as far as they may be seen": "så langt de kan ses",
    "Charging of {name}": "Ladingen til {name}",
    "Total of {count} sessions": "Sum av {count} økter",
    "{count} others": "{count} andre",
    "{first} up to but not including {after}": "{first} til, men ikke med, {after}",
    "{at} by {name}": "{at} av {name}",
    "{at} UTC by {name}": "{at} UTC av {name}",
    "{revision}, locked {at} by {name}, SHA-256 {sha256}": "{revision}, låst {at} av {name}, SHA-256 {sha256}",
    "somebody": "noen",
    "None: live figures as of then, not a locked report": "Ingen: tallene slik de var da, ikke en låst rapport",
    "All chargers have delivered their sessions": "Alle ladere har levert øktene sine",
    "{count} chargers have been silent since before the period ended; sessions of theirs may come later": (
        "{count} ladere har vært tause siden før perioden var over; økter fra dem kan komme senere"
    ),
    "REGISTERED: whole sessions, dated by when the portal got their final record": (
        "REGISTERED: hele økter, etter når portalen fikk sluttmeldingen"
    ),
    "ENDED: whole sessions, dated by when they ended": "ENDED: hele økter, etter når de sluttet",
    "INTERVAL: the energy that was taken within the period": "INTERVAL: energien som ble tatt i perioden",
    "What {count} sessions cost is not known, as for want of a price: costs are without them": (
        "Hva {count} økter koster er ikke kjent, for eksempel fordi en pris mangler: kostnadene er uten dem"
    ),
    "Energy is what the vehicles took; chargers' own standby use (about 4 kWh per charger and month) is not in it.": (
        "Energien er det bilene tok; ladernes eget hvileforbruk (omtrent 4 kWh per lader og måned) er ikke med."
    ),
}


def english(text: str, /, **values: object) -> str:
    """The text with its values."""
    return text.format(**values)


def _norwegian(text: str, /, **values: object) -> str:
    return _NORWEGIAN[text].format(**values)


def words_of(language: str) -> Words:
    """The words of that language; English where there are no others."""
    return _norwegian if language in NORWEGIAN_LANGUAGES else english
