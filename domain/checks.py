"""What a person's input must be like, whatever it is about: every wrong field is named at once. Pure."""

import math
import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.codes import COUNTRIES, CURRENCIES
from domain.errors import ErrorCode, FieldProblem, Path, ValidationError
from domain.units import PhaseAmps

NAME_LENGTH = 200
MAX_BREAKER_A = 6300.0
"""The largest frame of a moulded-case or air circuit breaker on the market (IEC 60947-2); more is a slip of the hand."""
_PART = r"@\s\x00-\x1f\x7f<>()\[\],;:\\\""
_EMAIL = re.compile(f"[^{_PART}]{{1,64}}@[^{_PART}.]+([.][^{_PART}.]+)+")
"""Without the signs that group and quote addresses (RFC 5322 §3.4): with one, mail goes to another mailbox than is written."""
_EMAIL_LENGTH = 320
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+)*")


class Problems:
    """The wrong fields of one input, gathered; each check returns the value as it is to be stored."""

    def __init__(self) -> None:
        self._found: list[FieldProblem] = []

    def add(self, path: str | Path, message: str, code: ErrorCode = ErrorCode.INVALID) -> None:
        """That field is wrong."""
        self._found.append(FieldProblem((path,) if isinstance(path, str) else path, message, code))

    def raise_any(self) -> None:
        """Returns when nothing was wrong; else ValidationError with all of it."""
        if self._found:
            raise ValidationError(*self._found)

    def text(self, path: str | Path, value: str | None, *, most: int = NAME_LENGTH) -> str:
        """Text without white space around it, 1 to `most` characters, none of them a control character."""
        cleaned = (value or "").strip()
        if not cleaned:
            self.add(path, "This must not be empty.")
        elif len(cleaned) > most:
            self.add(path, f"This may have at most {most} characters.")
        elif any(ord(character) < 32 or ord(character) == 127 for character in cleaned):
            self.add(path, "This must not contain control characters or line breaks.")
        return cleaned

    def optional_text(self, path: str | Path, value: str | None, *, most: int = NAME_LENGTH) -> str | None:
        """As `text`; what is empty becomes None."""
        return self.text(path, value, most=most) if value is not None and value.strip() else None

    def email(self, path: str | Path, value: str) -> str:
        """An e-mail address as it is stored and compared: in lower case."""
        address = normal_email(value)
        if len(address) > _EMAIL_LENGTH or not _EMAIL.fullmatch(address):
            self.add(path, "This is not an e-mail address.")
        return address

    def time_zone(self, path: str | Path, value: str) -> str:
        """A name of the IANA time zone database."""
        if not is_time_zone(value):
            self.add(path, "This is not a time zone of the IANA database; write for example Europe/Oslo.")
        return value

    def country(self, path: str | Path, value: str) -> str:
        """An ISO 3166-1 alpha-2 code in upper case."""
        code = value.strip().upper()
        if code not in COUNTRIES:
            self.add(path, "This is not a country code of ISO 3166-1; write two letters, for example NO.")
        return code

    def currency(self, path: str | Path, value: str) -> str:
        """An ISO 4217 code in upper case."""
        code = value.strip().upper()
        if code not in CURRENCIES:
            self.add(path, "This is not a currency code of ISO 4217; write three letters, for example NOK.")
        return code

    def amps(self, path: str | Path, value: float, *, least: float, most: float) -> float:
        """A current in ampere within bounds."""
        if not math.isfinite(value) or not least <= value <= most:
            self.add(path, f"This must be from {least:g} to {most:g} A.")
        return float(value)

    def breaker(self, path: str | Path, value: float) -> float:
        """A breaker's rating in ampere: positive."""
        if not math.isfinite(value) or not 0 < value <= MAX_BREAKER_A:
            self.add(path, f"A breaker is rated above 0 and at most {MAX_BREAKER_A:g} A.")
        return float(value)

    def breakers(self, path: str, value: PhaseAmps) -> PhaseAmps:
        """A breaker's rating on each line."""
        return PhaseAmps(*(self.breaker((path, line), amps) for line, amps in by_line(value)))

    def within(self, path: str | Path, value: PhaseAmps, limit: PhaseAmps, *, of: str) -> PhaseAmps:
        """A current on each line, not negative and not above the limit, which is `of` something."""
        where = (path,) if isinstance(path, str) else path
        for (line, amps), (_, most) in zip(by_line(value), by_line(limit), strict=True):
            if not math.isfinite(amps) or not 0 <= amps <= most:
                self.add((*where, line), f"This must be from 0 to {most:g} A, the rating of {of}.")
        return value

    def aware(self, path: str | Path, value: datetime) -> datetime:
        """An instant that says where on Earth its clock is."""
        if value.tzinfo is None:
            self.add(path, "This instant needs an offset, for example 2026-01-31T18:00:00+01:00.")
        return value


def by_line(value: PhaseAmps) -> tuple[tuple[str, float], ...]:
    """(name of the line in an input, its current), in order."""
    return (("l1", value.l1), ("l2", value.l2), ("l3", value.l3))


def normal_email(value: str) -> str:
    """The form in which addresses are stored and compared."""
    return value.strip().lower()


def is_time_zone(value: str) -> bool:
    """Whether the IANA database, as this machine has it, knows the zone."""
    if not _ZONE.fullmatch(value):
        return False
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
