"""How a file of historical sessions is read: a mapping (docs/imports.md) and what one line says by it. Pure.

A line that cannot be read is a Rejection in the field's words; it never stops the others.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from domain.roles import InstallationCategory, NetworkType
from domain.units import wh

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_CONTROLS = re.compile("[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
"""Control signs, and the bytes that the encoding could not read (surrogateescape)."""

_WORD_LENGTH = 40
_KEY_LENGTH = 200
_EARLIEST_YEAR, _LATEST_YEAR = 1990, 2200
_LARGEST_WH = 10**9
"""A gigawatt hour: no charge is larger, so the column or its unit is wrong."""

_UNITS = {"Wh": Decimal("0.001"), "kWh": Decimal(1), "MWh": Decimal(1000)}

Templates = str | list[str]
"""Text with `{column}` in it. Of several, the first whose columns all say something."""


class MappingError(Exception):
    """The mapping cannot be used, or does not fit the file; the message says what to change."""


class FileFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the text is written."""

    date_format: str
    time_zone: str
    encoding: str = "utf-8"
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    quote: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = '"'
    decimal_sign: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = "."
    thousands_sign: Annotated[str, msgspec.Meta(max_length=1)] = ""
    null_words: tuple[str, ...] = ("",)
    skip_lines: Annotated[int, msgspec.Meta(ge=0)] = 0


class SessionColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a session's own facts are."""

    key: Templates
    started_at: str
    energy: str
    ended_at: str | None = None
    energy_unit: str = "kWh"


class InstallationColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site of a line, and what every site made here has in common."""

    key: Templates
    name: Templates
    country_code: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    network_type: NetworkType
    breaker_a: Annotated[float, msgspec.Meta(gt=0)]
    category: InstallationCategory = InstallationCategory.COMMUNITY


class ObjectColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person or charger of a line."""

    key: Templates
    name: Templates


class HistoryMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping. `source` names the origin: the same source and key are the same row, whatever the file is called."""

    source: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    file: FileFormat
    session: SessionColumns
    installation: InstallationColumns
    charger: ObjectColumns
    person: ObjectColumns | None = None


def mapping_of(content: Mapping[str, object]) -> HistoryMapping:
    """The mapping that a TOML document says; MappingError names what is wrong in it."""
    try:
        mapping = msgspec.convert(content, HistoryMapping)
    except msgspec.ValidationError as error:
        raise MappingError(f"The mapping is wrong: {error}.") from error
    try:
        ZoneInfo(mapping.file.time_zone)
        "".encode(mapping.file.encoding)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise MappingError(f"The mapping's file.time_zone {mapping.file.time_zone!r} is no IANA time zone.") from error
    except LookupError as error:
        raise MappingError(f"The mapping's file.encoding {mapping.file.encoding!r} is not known here.") from error
    if mapping.session.energy_unit not in _UNITS:
        raise MappingError(f"The mapping's session.energy_unit is one of {', '.join(_UNITS)}.")
    if mapping.file.decimal_sign == mapping.file.thousands_sign:
        raise MappingError("The mapping's decimal_sign and thousands_sign cannot be the same.")
    return mapping


@dataclass(frozen=True, slots=True)
class NamedKey:
    """Something of the file: its natural key in the portal, and its name there."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class HistoricSession:
    """What one line says. `ended_at` None: the file has no end for it."""

    line: int
    key: str
    installation: NamedKey
    charger: NamedKey
    person: NamedKey | None
    started_at: datetime
    ended_at: datetime | None
    energy_wh: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not taken, and why."""

    line: int
    reason: str


class _UnreadableError(Exception):
    """What a line says makes no sense; the message is the reason."""


class _AbsentError(_UnreadableError):
    """None of a template's columns says something."""


class LineReader:
    """Reads lines by a mapping and the file's header."""

    def __init__(self, mapping: HistoryMapping, header: str) -> None:
        """MappingError when the header lacks a column that the mapping names."""
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.file.time_zone)
        self._columns = self._split(header.removeprefix("\ufeff"))
        places = {name: place for place, name in enumerate(self._columns)}
        self._null_words = frozenset(mapping.file.null_words)
        self._scale = _UNITS[mapping.session.energy_unit]
        source, session = mapping.source, mapping.session
        self._started = self._place(places, session.started_at)
        self._ended = None if session.ended_at is None else self._place(places, session.ended_at)
        self._energy = self._place(places, session.energy)
        self._session_key = self._template(places, f"{source}:", session.key, "session")
        self._installation = self._object(places, mapping.installation.key, mapping.installation.name, "installation")
        self._charger = self._object(places, mapping.charger.key, mapping.charger.name, "charger")
        person = mapping.person
        self._person = None if person is None else self._object(places, person.key, person.name, "person")

    def read(self, line: int, text: str) -> HistoricSession | Rejection:
        """The session of a line, or why there is none."""
        try:
            return self._session(line, self._split(text))
        except _UnreadableError as error:
            return Rejection(line, str(error))

    def _session(self, line: int, cells: Sequence[str]) -> HistoricSession:
        if len(cells) != len(self._columns):
            raise _UnreadableError(f"{len(cells)} columns, where the header has {len(self._columns)}")
        for column, cell in zip(self._columns, cells, strict=True):
            if _CONTROLS.search(cell):
                raise _UnreadableError(f"{column}: {_shown(cell)} cannot be read as {self._mapping.file.encoding}")
        source = self._mapping.source
        site = self._installation(cells)
        charger = self._charger(cells)
        started_at, ended_at = self._times(cells)
        return HistoricSession(
            line=line,
            key=_checked_key(self._session_key(cells)),
            installation=NamedKey(_checked_key(f"{source}:{site.key}"), site.name),
            charger=NamedKey(_checked_key(f"{source}:{site.key}:{charger.key}"), charger.name),
            person=self._person_of(cells),
            started_at=started_at,
            ended_at=ended_at,
            energy_wh=self._energy_wh(cells),
        )

    def _person_of(self, cells: Sequence[str]) -> NamedKey | None:
        if self._person is None:
            return None
        try:
            person = self._person(cells)
        except _AbsentError:
            return None
        return NamedKey(_checked_key(f"{self._mapping.source}:{person.key}"), person.name)

    def _split(self, text: str) -> list[str]:
        file = self._mapping.file
        try:
            # One line at a time: an unclosed quote spoils its own line only.
            cells = next(csv.reader((text,), delimiter=file.delimiter, quotechar=file.quote), [])
        except csv.Error as error:
            raise _UnreadableError(f"not a line of this format ({error})") from error
        return [cell.strip() for cell in cells]

    def _place(self, places: Mapping[str, int], column: str) -> int:
        if column not in places:
            raise MappingError(
                f"The file has no column {column!r}. Its columns are {', '.join(self._columns)[:400]}. "
                "Correct the mapping, or its delimiter, encoding or skip_lines."
            )
        return places[column]

    def _template(
        self, places: Mapping[str, int], prefix: str, templates: Templates, what: str
    ) -> Callable[[Sequence[str]], str]:
        choices = []
        for template in [templates] if isinstance(templates, str) else templates:
            parts = _PLACEHOLDER.split(template)
            columns = [(name, self._place(places, name)) for name in parts[1::2]]
            choices.append((prefix + parts[0], [*zip(columns, parts[2::2], strict=True)]))
        null_words = self._null_words

        def filled(cells: Sequence[str]) -> str:
            for first, rest in choices:
                if all(cells[place] not in null_words for (_, place), _ in rest):
                    return first + "".join(cells[place] + after for (_, place), after in rest)
            names = sorted({name for _, rest in choices for (name, _), _ in rest})
            raise _AbsentError(f"{' and '.join(names)}: nothing there, so the {what} is not known")

        return filled

    def _object(
        self, places: Mapping[str, int], key: Templates, name: Templates, what: str
    ) -> Callable[[Sequence[str]], NamedKey]:
        key_of, name_of = self._template(places, "", key, what), self._template(places, "", name, what)
        return lambda cells: NamedKey(key_of(cells), _checked_name(name_of(cells)))

    def _times(self, cells: Sequence[str]) -> tuple[datetime, datetime | None]:
        if cells[self._started] in self._null_words:
            raise _UnreadableError(f"{self._mapping.session.started_at}: nothing there, a session needs its start")
        start = self._local(self._mapping.session.started_at, cells[self._started])
        if self._ended is None or cells[self._ended] in self._null_words:
            return start.astimezone(UTC), None
        name = self._mapping.session.ended_at or ""
        end = self._local(name, cells[self._ended])
        if end.astimezone(UTC) < start.astimezone(UTC):
            # Both inside the repeated hour of autumn: only its second time round makes an end after the start.
            end = end.replace(fold=1)
        if end.astimezone(UTC) < start.astimezone(UTC):
            raise _UnreadableError(f"{name}: {_shown(cells[self._ended])} is before the start {cells[self._started]}")
        return start.astimezone(UTC), end.astimezone(UTC)

    def _local(self, column: str, text: str) -> datetime:
        """The instant as the zone's clock showed it: an hour that comes twice is the first, one that is skipped follows the gap."""
        date_format = self._mapping.file.date_format
        try:
            instant = datetime.fromisoformat(text) if date_format == "iso" else datetime.strptime(text, date_format)  # noqa: DTZ007  the zone comes next
        except ValueError as error:
            wanted = "ISO 8601" if date_format == "iso" else date_format
            raise _UnreadableError(f"{column}: {_shown(text)} is no date and time in the form {wanted}") from error
        if not _EARLIEST_YEAR <= instant.year < _LATEST_YEAR:
            raise _UnreadableError(f"{column}: the year of {_shown(text)} cannot be")
        return instant.replace(tzinfo=self._zone) if instant.tzinfo is None else instant

    def _energy_wh(self, cells: Sequence[str]) -> int:
        column, text, file = self._mapping.session.energy, cells[self._energy], self._mapping.file
        if text in self._null_words:
            raise _UnreadableError(f"{column}: nothing there, a session needs its energy (0 is fine)")
        plain = text.replace(file.thousands_sign, "") if file.thousands_sign else text
        if file.decimal_sign != ".":
            plain = plain.replace(".", "?").replace(file.decimal_sign, ".")
        if not _NUMBER.fullmatch(plain):
            raise _UnreadableError(f"{column}: {_shown(text)} is no number with the decimal sign {file.decimal_sign!r}")
        amount = Decimal(plain) * self._scale
        if amount < 0:
            raise _UnreadableError(f"{column}: {_shown(text)} is below 0")
        if amount * 1000 > _LARGEST_WH:
            raise _UnreadableError(
                f"{column}: {_shown(text)} {self._mapping.session.energy_unit} is more than any charge"
            )
        return wh(amount)


def _checked_key(key: str) -> str:
    if len(key) > _KEY_LENGTH:
        raise _UnreadableError(f"the key {_shown(key)} is longer than {_KEY_LENGTH} signs")
    return key


def _checked_name(name: str) -> str:
    if not 0 < len(name) <= _KEY_LENGTH:
        raise _UnreadableError(f"the name {_shown(name)} is empty or longer than {_KEY_LENGTH} signs")
    return name


def _shown(text: str) -> str:
    """The field's words, short and harmless on a terminal."""
    return repr(text if len(text) <= _WORD_LENGTH else text[:_WORD_LENGTH] + "…")


def duration_of(session: HistoricSession) -> timedelta:
    """From plug in to plug out; nothing where there is no end."""
    return timedelta() if session.ended_at is None else session.ended_at - session.started_at
