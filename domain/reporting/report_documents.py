"""The text of a locked report, of which its digest is made, so that anyone can make it again; and the report read back from it. Pure.

The text is JSON in UTF-8 with sorted keys and without spaces. People and cards are in it by their ids, never by their names, so that a name
can be forgotten while the digest stays.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from domain.errors import NotFoundError, invalid
from domain.periods import TIME_DIMENSIONS, Bucket, Period
from domain.pricing.sums import Costs, Sum
from domain.roles import ReportBasis, UsageDimension
from domain.usage.question import (
    Coverage,
    EmptyReason,
    EmptyUsage,
    Group,
    GroupPart,
    SilentCharger,
    Usage,
    UsageQuestion,
    UsageRow,
    UsageSummary,
    label_of,
    total_of,
)

FORMAT: Final = "lade-locked-report/1"
PERSONAL: Final = frozenset({UsageDimension.USER, UsageDimension.CHARGE_CARD})
"""Dimensions whose names are kept beside the document."""

Names = Mapping[tuple[UsageDimension, UUID], str]
"""How people and cards are called."""


_LINE_IDS = UUID("0c7a52c4-7d0a-4a42-8f0e-52b1a1b0f3ce")


@dataclass(frozen=True, slots=True)
class CorrectionLine:
    """What a group of an earlier locked period counts more, or less, than was locked or corrected before."""

    period: Period
    row: UsageRow

    @property
    def id(self) -> UUID:
        """For cursors."""
        return uuid5(_LINE_IDS, f"{self.period.from_date} {self.row.key}")


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a locked report says."""

    summary: UsageSummary
    installation_id: UUID
    revision: int
    locked_by_id: UUID
    corrections: tuple[CorrectionLine, ...]

    @property
    def correction_total(self) -> Usage:
        """The sum of the correction lines."""
        return sum((line.row.usage for line in self.corrections), Usage())


def written(content: Content) -> str:
    """The document."""
    summary = content.summary
    document = {
        "format": FORMAT,
        "installation": {"id": str(content.installation_id), "name": summary.installation_names[0]},
        "revision": content.revision,
        "basis": summary.question.basis.value,
        "groupBy": [one.value for one in summary.question.group_by],
        "period": _period(summary.period),
        "lockedAt": summary.made_at.isoformat(),
        "lockedBy": str(content.locked_by_id),
        "rows": [{"group": _group(row), "figures": _figures(row.usage)} for row in summary.rows],
        "total": _figures(summary.total),
        "silentChargers": [
            {"chargerId": str(one.charger_id), "since": one.since.isoformat()} for one in summary.coverage.silent
        ],
        "emptyBecause": _empty(summary.empty_because),
        "corrections": [
            {"period": _period(line.period), "group": _group(line.row), "figures": _figures(line.row.usage)}
            for line in content.corrections
        ],
        "correctionTotal": _figures(content.correction_total),
    }
    return f"{{{','.join(f'{_text(key)}:{_long(value)}' for key, value in sorted(document.items()))}}}"


def _long(value: object) -> str:
    """A list line by line: encoding, or reading, all of it in one step would hold up every other thread."""
    return f"[{','.join(map(_text, value))}]" if isinstance(value, list) else _text(value)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _read_long(document: str) -> dict[str, Any]:
    parts = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    return {key: _read_part(part) for key, part in parts.items()}


def _read_part(part: msgspec.Raw) -> Any:
    if memoryview(part)[0] != ord("["):
        return msgspec.json.decode(part)
    return [msgspec.json.decode(one) for one in msgspec.json.decode(part, type=list[msgspec.Raw])]


def digest(document: str) -> str:
    """SHA-256 of the document in UTF-8, in hexadecimal."""
    return hashlib.sha256(document.encode()).hexdigest()


def read(document: str, names: Names) -> Content:
    """What the document says, with the names that people and cards have."""
    found = _read_long(document)
    period = _read_period(found["period"])
    installation_id = UUID(found["installation"]["id"])
    question = UsageQuestion(
        from_date=period.from_date,
        to_date=period.to_date,
        installation_ids=(installation_id,),
        time_zone=period.zone.key,
        group_by=tuple(UsageDimension(one) for one in found["groupBy"]),
        basis=ReportBasis(found["basis"]),
    )
    silent = (
        SilentCharger(UUID(one["chargerId"]), datetime.fromisoformat(one["since"])) for one in found["silentChargers"]
    )
    summary = UsageSummary(
        question=question,
        period=period,
        rows=tuple(_read_row(one, names) for one in found["rows"]),
        total=_read_figures(found["total"]),
        covered=Coverage(tuple(silent)),
        empty_because=_read_empty(found["emptyBecause"]),
        installation_names=(found["installation"]["name"],),
        made_at=datetime.fromisoformat(found["lockedAt"]),
    )
    lines = (CorrectionLine(_read_period(one["period"]), _read_row(one, names)) for one in found["corrections"])
    return Content(summary, installation_id, found["revision"], UUID(found["lockedBy"]), tuple(lines))


def part_of(content: Content, user_id: UUID) -> tuple[Content, str]:
    """(what of the report is the person's, the name that it has for them).

    ValidationError when it does not say whose its figures are; NotFoundError when nothing of it is theirs.
    """
    summary = content.summary
    if UsageDimension.USER not in summary.question.group_by:
        message = "This report is not by person: lock a revision that is, or ask for the whole."
        raise invalid("userId", message)
    rows = tuple(row for row in summary.rows if row.id_of(UsageDimension.USER) == user_id)
    lines = tuple(line for line in content.corrections if line.row.id_of(UsageDimension.USER) == user_id)
    named = [
        label
        for row in (*rows, *(line.row for line in lines))
        for part, label in zip(row.group, row.labels, strict=True)
        if part.dimension is UsageDimension.USER
    ]
    if not named:
        raise NotFoundError(path=("userId",))
    part = replace(summary, rows=rows, total=total_of(row.usage for row in rows))
    return replace(content, summary=part, corrections=lines), named[0]


def names_in(rows: Sequence[UsageRow]) -> dict[tuple[UsageDimension, UUID], str]:
    """The names of people and cards in these rows."""
    return {
        (part.dimension, part.id): label
        for row in rows
        for part, label in zip(row.group, row.labels, strict=True)
        if part.dimension in PERSONAL and part.id is not None
    }


def _period(period: Period) -> Mapping[str, str]:
    return {
        "from": period.from_date.isoformat(),
        "to": period.to_date.isoformat(),
        "timeZone": period.zone.key,
        "startAt": period.start_at.isoformat(),
        "endAt": period.end_at.isoformat(),
    }


def _read_period(found: Mapping[str, str]) -> Period:
    return Period(date.fromisoformat(found["from"]), date.fromisoformat(found["to"]), ZoneInfo(found["timeZone"]))


def _group(row: UsageRow) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    for part, label in zip(row.group, row.labels, strict=True):
        said: dict[str, object] = {"dimension": part.dimension.value}
        if part.bucket is not None:
            bucket = part.bucket
            said |= {"startAt": bucket.start_at.isoformat(), "endAt": bucket.end_at.isoformat(), "label": label}
        else:
            said["id"] = None if part.id is None else str(part.id)
            if part.dimension not in PERSONAL and part.id is not None:
                said["label"] = label
        found.append(said)
    return found


def _read_row(found: Mapping[str, Any], names: Names) -> UsageRow:
    parts, labels = [], []
    for said in found["group"]:
        dimension = UsageDimension(said["dimension"])
        if dimension in TIME_DIMENSIONS:
            since, until = datetime.fromisoformat(said["startAt"]), datetime.fromisoformat(said["endAt"])
            part = GroupPart(dimension, bucket=Bucket(said["label"], since, until))
            label: str = said["label"]
        else:
            part = GroupPart(dimension, None if said["id"] is None else UUID(said["id"]))
            label = label_of(part, None if part.id is None else said.get("label") or names.get((dimension, part.id)))
        parts.append(part)
        labels.append(label)
    group: Group = tuple(parts)
    return UsageRow(group, tuple(labels), _read_figures(found["figures"]))


def _empty(found: EmptyUsage | None) -> Mapping[str, str | None] | None:
    if found is None:
        return None
    nearest = found.nearest_session_at
    return {
        "reason": found.reason.value,
        "text": found.text,
        "nearestSessionAt": None if nearest is None else nearest.isoformat(),
    }


def _read_empty(found: Mapping[str, Any] | None) -> EmptyUsage | None:
    if found is None:
        return None
    nearest = found["nearestSessionAt"]
    return EmptyUsage(
        EmptyReason(found["reason"]), found["text"], None if nearest is None else datetime.fromisoformat(nearest)
    )


def _figures(usage: Usage) -> Mapping[str, object]:
    return {
        "sessions": usage.session_count,
        "energyWh": usage.energy_wh,
        "connectedSeconds": usage.connected_s,
        "chargingSeconds": usage.charging_s,
        "offlineSessions": usage.offline_count,
        "unreliableDates": usage.unreliable_count,
        "firstSessionAt": None if usage.first_at is None else usage.first_at.isoformat(),
        "lastSessionAt": None if usage.last_at is None else usage.last_at.isoformat(),
        "costs": [
            {"currency": one.currency, "netMinor": one.net_minor, "vatMinor": one.vat_minor} for one in usage.costs.sums
        ],
        "unknownCosts": usage.costs.unknown_count,
    }


def _read_figures(found: Mapping[str, Any]) -> Usage:
    first, last = found["firstSessionAt"], found["lastSessionAt"]
    return Usage(
        found["sessions"],
        found["energyWh"],
        found["connectedSeconds"],
        found["chargingSeconds"],
        found["offlineSessions"],
        found["unreliableDates"],
        None if first is None else datetime.fromisoformat(first),
        None if last is None else datetime.fromisoformat(last),
        Costs(
            tuple(Sum(one["currency"], one["netMinor"], one["vatMinor"]) for one in found.get("costs", ())),
            found.get("unknownCosts", 0),
        ),
    )
