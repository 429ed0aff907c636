"""Letters put into words: each in plain text and as HTML, in the language of its reader."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.alerting import alert_texts
from domain.alerting.alert_letters import AlertLetter, ConfirmationLetter, Line, Written
from domain.roles import Language, Severity

_TEMPLATES: Final = Path(__file__).parent / "templates"
_COLOURS: Final = {
    Severity.INFO: "#3b6ea5",
    Severity.WARNING: "#8a6100",
    Severity.ERROR: "#b3261e",
    Severity.CRITICAL: "#b3261e",
}
_CALM: Final = "#2e7d32"

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    Language.EN: {
        "lang": "en",
        "hello": "Hello",
        "over": "Over",
        "several": "{count} alerts",
        "several_over": "{count} alerts are over",
        "INFO": "Information",
        "WARNING": "Warning",
        "ERROR": "Error",
        "CRITICAL": "Danger",
        "charger": "Charger",
        "place": "Installation",
        "details": "Details",
        "since": "Since",
        "over_since": "Over since",
        "comes_and_goes": "Has come and gone {count} times",
        "more": "And {count} more: see the portal.",
        "IMMEDIATE": "You get such mails at once.",
        "HOURLY_DIGEST": "You get such mails once an hour, when there is anything to tell.",
        "DAILY_DIGEST": "You get such mails once a day, when there is anything to tell.",
        "unsubscribe": "No more mails about {place}",
        "portal": "Open the portal",
        "confirm_subject": "Mails about {place}?",
        "confirm_ask": "{who} wants Lade to send mails to this address when something is wrong at {place}.",
        "confirm_button": "Yes, send me these mails",
        "confirm_else": "If you do not want them, do nothing: none will be sent.",
    },
    Language.NB: {
        "lang": "nb",
        "hello": "Hei",
        "over": "Over",
        "several": "{count} varsler",
        "several_over": "{count} varsler er over",
        "INFO": "Til orientering",
        "WARNING": "Advarsel",
        "ERROR": "Feil",
        "CRITICAL": "Fare",
        "charger": "Lader",
        "place": "Anlegg",
        "details": "Mer",
        "since": "Siden",
        "over_since": "Over siden",
        "comes_and_goes": "Har kommet og gått {count} ganger",
        "more": "Og {count} til: se portalen.",
        "IMMEDIATE": "Du får slike e-poster med en gang.",
        "HOURLY_DIGEST": "Du får slike e-poster en gang i timen, når det er noe å fortelle.",
        "DAILY_DIGEST": "Du får slike e-poster en gang om dagen, når det er noe å fortelle.",
        "unsubscribe": "Ingen flere e-poster om {place}",
        "portal": "Åpne portalen",
        "confirm_subject": "E-poster om {place}?",
        "confirm_ask": "{who} vil at Lade skal sende e-post til denne adressen når noe er galt på {place}.",
        "confirm_button": "Ja, send meg disse e-postene",
        "confirm_else": "Vil du ikke ha dem, trenger du ikke gjøre noe: da blir ingen sendt.",
    },
}


class Press:
    """Press of domain.alerting.alert_mailing, with templates."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def alerts(self, letter: AlertLetter) -> Written:
        """A mail about alerts."""
        words = _WORDS[letter.language]
        lines = [_shown(line, letter.language) for line in letter.lines]
        return self._written(
            _subject(letter),
            "alerts",
            words,
            letter=letter,
            lines=lines,
            more=words["more"].format(count=letter.left_out) if letter.left_out else None,
            frequency=words[letter.delivery],
            unsubscribe=words["unsubscribe"].format(place=letter.installation),
        )

    def confirmation(self, letter: ConfirmationLetter) -> Written:
        """A mail that asks whether an address wants mails."""
        words = _WORDS[letter.language]
        subject = words["confirm_subject"].format(place=letter.installation)
        ask = words["confirm_ask"].format(who=letter.asked_by, place=letter.installation)
        return self._written(subject, "confirmation", words, letter=letter, ask=ask)

    def page(self, **facts: str | None) -> str:
        """A page of the portal that a mail leads to: `lang`, `title`, `text`, and with `button` a form that posts back."""
        return self._environment.get_template("page.html").render(facts)

    def _written(self, subject: str, name: str, words: Mapping[str, str], **facts: Any) -> Written:
        given = {**facts, "words": words, "subject": subject}
        text = self._environment.get_template(f"{name}.txt").render(given)
        return Written(subject, text, self._environment.get_template(f"{name}.html").render(given))


def _subject(letter: AlertLetter) -> str:
    words, place = _WORDS[letter.language], letter.installation
    count = len(letter.lines) + letter.left_out
    is_over = all(line.over_at is not None for line in letter.lines)
    if count > 1:
        return f"{place}: {words['several_over' if is_over else 'several'].format(count=count)}"
    (line,) = letter.lines
    head = alert_texts.headline_of(line.kind, line.thing, letter.language)
    if line.thing is None:
        head = head[:1].lower() + head[1:]
    return f"{place}: {words['over'].lower()}: {head}" if is_over else f"{place}: {head}"


def _shown(line: Line, language: Language) -> dict[str, Any]:
    words = _WORDS[language]
    is_over = line.over_at is not None
    return {
        "label": words["over"] if is_over else words[line.severity],
        "colour": _CALM if is_over else _COLOURS[line.severity],
        "head": alert_texts.headline_of(line.kind, line.thing, language),
        "text": alert_texts.words_of(line.kind, language),
        "thing": line.thing,
        "details": line.details,
        "again": words["comes_and_goes"].format(count=line.occurrences) if line.is_again else None,
        "since": _at(line.began_at),
        "over_since": None if line.over_at is None else _at(line.over_at),
        "is_over": is_over,
    }


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M %Z}"
