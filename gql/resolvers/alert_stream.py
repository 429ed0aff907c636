"""Alerts as a stream: those that are not resolved, then how they open, are acknowledged and resolve, for whoever may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain import events
from domain.access import Access, anyone_holding
from domain.equipment.live_status import followed_charger, followed_installation
from domain.errors import NotFoundError
from domain.events import AlertChanged, Event
from domain.roles import AlertState, Role
from domain.views.alert_views import AlertPlace, AlertRow, alerts_by_ids, open_alerts
from gql.context import Context
from gql.cursors import Cursors
from gql.live import MARK, Live, Readings, Source, eyes

_SHARED: Final[Mapping[str, str]] = {
    "Subscription": "alertChanged",
    "AlertEvent": "cursor isResync kind alertId alert",
    "Alert": "id kind severity state message installation charger circuit vendorCode openedAt acknowledgedAt acknowledgedBy"
    " note resolvedAt occurrences",
    "Installation": "id name timeZone",
    "Charger": "id name",
    "Circuit": "id name",
}
SHARED_FIELDS: Final = frozenset(f"{kind}.{name}" for kind, names in _SHARED.items() for name in names.split())
"""Fields that look the same to everybody who handles the alerts of an installation."""


@dataclass(frozen=True, slots=True)
class AlertEventRow:
    """One event of `alertChanged`; `kind` is a LiveEventKind's name."""

    kind: str
    cursor: str
    is_resync: bool = False
    alert_id: UUID | None = None
    alert: AlertRow | None = None


class AlertSource:
    """The alerts of an installation, or of one charger (then `place` names it, and the installation where it stands)."""

    wakes_in_s: float | None = None
    is_over = False
    is_complete = False

    def __init__(self, access: Access, installation_id: UUID, charger_id: UUID | None, *, secret: str) -> None:
        self.access = access
        self.channel = events.installation_channel(installation_id)
        self._secret = secret
        self._readings: Readings | None = None
        self._installation_id = installation_id
        self._charger_id = charger_id
        self._is_whole = charger_id is None and access.handles_alerts_of(installation_id)
        """Whether parts of an alert about the whole installation are told of by that one."""
        self._open: dict[UUID, AlertRow] = {}
        rights = "handler" if access.handles_alerts_of(installation_id) else eyes(access)
        self.cursors = Cursors(secret, ("alertChanged", installation_id, charger_id, rights))

    def narrowed(self, field_paths: frozenset[str]) -> Source:
        """Who handles the installation's alerts sees the same as others who do; everybody else only what they themselves do."""
        if not self.access.handles_alerts_of(self._installation_id) or not field_paths <= SHARED_FIELDS:
            return self
        seen = anyone_holding(Role.SERVICE, self._installation_id, now=self.access.now)
        return AlertSource(seen, self._installation_id, self._charger_id, secret=self._secret)

    @property
    def visibility(self) -> object:
        """Whose eyes."""
        return eyes(self.access)

    async def open(self, readings: Readings) -> None:
        """What is not resolved is read."""
        self._readings = readings
        await self._read()

    async def _read(self) -> None:
        site = self._installation_id if self._charger_id is None else None
        place = AlertPlace(installation_id=site, charger_id=self._charger_id)
        self._open = {row.id: row for row in await open_alerts(self.access, place)}

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """The alerts that are not resolved, then READY; after a move the alerts only, of which there may now be more."""
        nowhere = self.cursors.nowhere
        if is_move:
            return [self._told("CHANGED", row, nowhere) for row in self._open.values()]
        snapshot = [self._told("SNAPSHOT", row, nowhere, is_resync=is_resync) for row in self._open.values()]
        return [*snapshot, Live(AlertEventRow("READY", MARK, is_resync))]

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Each alert that was another, as it is now, then READY."""
        touched = {one.alert_id: one for one in missed if isinstance(one, AlertChanged) and self._takes(one)}
        rows = await alerts_by_ids(self.access, list(touched)) if touched else {}
        told = []
        for identity, event in touched.items():
            row = rows.get(identity)
            if row is not None and not (row.is_folded and self._is_whole):
                told.append(self._told("CHANGED", row, cursor))
            elif self.access.sees_alert(installation_id=event.installation_id, charger_id=event.charger_id):
                told.append(self._removed(identity, cursor))
        return [*told, Live(AlertEventRow("READY", MARK))]

    def _takes(self, event: AlertChanged) -> bool:
        return self._charger_id in (None, event.charger_id)

    def take_now(self, event: Event) -> Sequence[Live] | None:
        """Nothing, where it is not theirs to see and never was."""
        if not isinstance(event, AlertChanged) or not self._takes(event):
            return ()
        is_theirs = self.access.sees_alert(installation_id=event.installation_id, charger_id=event.charger_id)
        return None if is_theirs or event.alert_id in self._open else ()

    async def take(self, event: Event) -> Sequence[Live]:
        """A change of one of the alerts, if it is theirs to see."""
        if self.take_now(event) is not None or not isinstance(event, AlertChanged):
            return ()
        identity = event.alert_id
        assert self._readings is not None  # noqa: S101  it was opened
        found = await self._readings.once(
            ("alert", identity, self.visibility), lambda: alerts_by_ids(self.access, [identity])
        )
        row = found.get(identity)
        if row is None or (row.is_folded and self._is_whole):
            known = self._open.pop(event.alert_id, None)
            return () if known is None else [self._removed(event.alert_id)]
        return self._changed(row)

    def _changed(self, row: AlertRow) -> Sequence[Live]:
        if self._open.get(row.id) == row:
            return ()
        if row.state is AlertState.RESOLVED:
            self._open.pop(row.id, None)
        else:
            self._open[row.id] = row
        return [self._told("CHANGED", row)]

    async def refresh(self) -> Sequence[Live]:
        """What changed without our hearing of it, and a heartbeat."""
        before = self._open
        await self._read()
        over = [key for key in before if key not in self._open]
        found = await alerts_by_ids(self.access, over) if over else {}
        resolved = {key: row for key, row in found.items() if not (row.is_folded and self._is_whole)}
        told = [self._told("CHANGED", resolved[key]) if key in resolved else self._removed(key) for key in over]
        told += [self._told("CHANGED", row) for key, row in self._open.items() if before.get(key) != row]
        return [*told, Live(AlertEventRow("HEARTBEAT", MARK), "heartbeat")]

    def leaving(self, successor: Source) -> Sequence[Live]:
        """REMOVED for each alert that no longer exists for them."""
        seen = successor.access
        return [
            self._removed(row.id)
            for row in self._open.values()
            if not seen.sees_alert(installation_id=row.installation_id, charger_id=row.charger_id)
        ]

    def _told(self, kind: str, row: AlertRow, cursor: str | None = None, *, is_resync: bool = False) -> Live:
        event = AlertEventRow(kind, MARK, is_resync, row.id, row)
        return Live(event, row.id if kind == "CHANGED" else None, cursor=cursor)

    def _removed(self, alert_id: UUID, cursor: str | None = None) -> Live:
        return Live(AlertEventRow("REMOVED", MARK, False, alert_id), alert_id, cursor=cursor)


async def alert_changed(context: Context, *, charger_id: UUID | None, installation_id: UUID | None) -> Source:
    """The alerts of that charger or installation. NotFoundError when it is hidden or absent."""
    access, secret = context.access, context.ports.secret_key
    if charger_id is not None:
        return AlertSource(access, await followed_charger(access, charger_id), charger_id, secret=secret)
    if installation_id is not None:
        return AlertSource(access, await followed_installation(access, installation_id), None, secret=secret)
    raise NotFoundError(path=("target",))
