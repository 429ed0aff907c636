"""What stands around the tables of a file, in the reader's language: English, and Norwegian where that is asked for."""

from collections.abc import Mapping
from typing import Final

from domain.wording import Words, english

NORWEGIAN_LANGUAGES: Final = frozenset({"nb", "nn", "no"})

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
    "Summary": "Sammendrag",
    "Sessions": "Økter",
    "Hours": "Timer",
    "Corrections": "Rettelser",
    "People": "Personer",
    "Cost lines": "Kostnadslinjer",
    "Not identified": "Ikke identifisert",
    "No card": "Ingen ladebrikke",
    "No circuit": "Ingen kurs",
    "No charger": "Ingen lader",
    "Offline": "Frakoblet",
    "Date uncertain": "Usikker dato",
    "Energy": "Energi",
    "Time connected": "Tid tilkoblet",
    "Time connected after charging": "Tid tilkoblet etter lading",
    "Fee for a charge": "Gebyr for en lading",
    "Monthly fee": "Månedsavgift",
    "Mon": "man",
    "Tue": "tir",
    "Wed": "ons",
    "Thu": "tor",
    "Fri": "fre",
    "Sat": "lør",
    "Sun": "søn",
    "{since} to {until}": "{since} til {until}",
    "{what} on {day} ({tariff})": "{what} {day} ({tariff})",
    "{what} on {day}, without {held} h in which it was held back ({tariff})": (
        "{what} {day}, uten {held} t da bilen ble holdt tilbake ({tariff})"
    ),
    "{what} for {day:%Y-%m} ({tariff})": "{what} for {day:%Y-%m} ({tariff})",
    "How much energy was taken is not known.": "Hvor mye energi som ble tatt, er ikke kjent.",
    "The tariff {tariff} has no price for {at}: import it.": "Tariffen {tariff} har ingen pris for {at}: importer den.",
    "There are no ended sessions here yet.": "Det er ingen avsluttede økter her ennå.",
    "There are no sessions in this period; the nearest is of {day}.": (
        "Det er ingen økter i denne perioden; den nærmeste er fra {day}."
    ),
    "There are sessions in this period, but none that the filter lets through.": (
        "Det er økter i denne perioden, men ingen som filteret slipper gjennom."
    ),
    "All chargers were silent before the period began, the longest since {at} UTC.": (
        "Alle ladere var tause før perioden begynte, lengst siden {at} UTC."
    ),
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


def _norwegian(text: str, /, **values: object) -> str:
    return _NORWEGIAN[text].format(**values)


def words_of(language: str) -> Words:
    """The words of that language; English where there are no others."""
    return _norwegian if language in NORWEGIAN_LANGUAGES else english
