"""Reports of a station about itself in OCPP 2.0.1 (use case B07): asked for, and read part by part. Pure."""

from collections.abc import Iterator

import msgspec

from devices.ocpp.leniency import Names, Reader
from devices.ocpp.protocol import Outgoing, ReportPart
from devices.ocpp.v201 import incoming, messages, smart_charging

ACTION = "NotifyReport"
_BASES: tuple[messages.ReportBaseEnumType, ...] = ("FullInventory", "ConfigurationInventory", "SummaryInventory")
"""The whole of it first; a station that has none of them says so."""
_WANTED = frozenset(".".join(name) for name in smart_charging.VARIABLES)
_ACTUAL = (None, "Actual")

_REPORT = Reader(incoming.NotifyReport)


def ask(request_id: int) -> tuple[Outgoing, ...]:
    """GetBaseReportRequest, of each kind."""
    return tuple(
        Outgoing("GetBaseReport", messages.GetBaseReport(request_id=request_id, report_base=base)) for base in _BASES
    )


def part(payload: msgspec.Raw | bytes, names: Names) -> ReportPart:
    """What is of use in it, however much there is; one that says not that more comes is the last. Raises Unreadable."""
    message = _REPORT.read(payload, names)
    values: dict[str, str] = {}
    for name, value in _values(message.report_data or []):
        values.setdefault(name, value)
    return ReportPart(message.request_id, message.seq_no or 0, is_last=not message.tbc, values=values)


def _values(data: list[incoming.ReportData]) -> Iterator[tuple[str, str]]:
    for one in data:
        component, variable = one.component or incoming.Component(), one.variable or incoming.Variable()
        name = f"{component.name}.{variable.name}"
        if name in _WANTED:
            for attribute in one.variable_attribute or []:
                if attribute.type in _ACTUAL and attribute.value is not None:
                    yield name, str(attribute.value)
