"""Charger statuses as a stream: each as it is, then what changes, read once for a site and told to each as far as they may see it."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from domain import events
from domain.access import Access, StatusView
from domain.equipment.live_status import (
    followed_charger,
    followed_installation,
    followed_statuses,
    status_in,
    visible_statuses,
)
from domain.errors import NotFoundError
from domain.events import ChargerStatusChanged, Event, InstallationChanged
from domain.views.charger_views import ChargerRow, chargers_by_ids
from domain.views.installation_views import InstallationRow, installations_by_ids
from domain.views.live_site import site_rows, site_statuses
from gql.context import Context
from gql.cursors import Cursors
from gql.errors import AccessEndedError
from gql.live import MARK, Known, Live, Readings, Shown, Source, eyes

_SHARED: Final[Mapping[str, str]] = {
    "Subscription": "chargerStatus",
    "ChargerStatusEvent": "cursor isResync kind chargerId charger",
    "Charger": "id name identity evse serialNumber vendor model firmwareVersion phaseRotation minCurrentA maxCurrentA"
    " offlineCurrentA canSwitchPhases authenticationRequired isEnabled createdAt lastSeenAt status installation",
    "Installation": "id name timeZone",
    "ChargerStatus": "mode isOnline powerKw currentA allocatedA allocatedPhases sessionEnergyKwh warnings observedAt"
    " receivedAt version",
    "ChargerWarning": "kind severity message since vendorCode",
    "PhaseAmps": "l1 l2 l3",
}
SHARED_FIELDS: Final = frozenset(f"{kind}.{name}" for kind, names in _SHARED.items() for name in names.split())
"""Fields that are in the event, as far as they may be seen; with another field one shares with nobody else."""


@dataclass(frozen=True, slots=True)
class StatusEventRow:
    """One event of `chargerStatus`; `kind` is a LiveEventKind's name."""

    kind: str
    cursor: str
    is_resync: bool = False
    charger_id: UUID | None = None
    charger: ChargerRow | None = None


class StatusSource:
    """The statuses of an installation's chargers, or of one charger."""

    wakes_in_s: float | None = None
    is_over = False

    def __init__(
        self, access: Access, installation_id: UUID, charger_id: UUID | None, *, secret: str, is_complete: bool = False
    ) -> None:
        self.access = access
        self.channel = events.installation_channel(installation_id)
        self.is_complete = is_complete
        self._secret = secret
        self._installation_id = installation_id
        self._charger_id = charger_id
        self.cursors = Cursors(secret, ("chargerStatus", installation_id, charger_id, eyes(access.at(installation_id))))
        self._statuses: dict[UUID, ChargerStatusChanged] = {}
        self._rows: Mapping[UUID, ChargerRow] = {}
        self._views: dict[UUID, StatusView] = {}
        self._installation: InstallationRow | None = None
        self._readings: Readings | None = None
        self._made: dict[object, tuple[tuple[object, ...], Live]] = {}

    def narrowed(self, field_paths: frozenset[str]) -> Source:
        """For all who hold the same at the installation, where no more is selected than comes with an event."""
        if self.is_complete or not field_paths <= SHARED_FIELDS:
            return self
        seen = self.access.at(self._installation_id)
        return StatusSource(seen, self._installation_id, self._charger_id, secret=self._secret, is_complete=True)

    @property
    def visibility(self) -> object:
        """Whose eyes."""
        return eyes(self.access)

    async def open(self, readings: Readings) -> None:
        """The present state is read."""
        self._readings = readings
        if self.is_complete:
            self._made = readings.shared("statuses as they are told", dict)
        await self._read(readings, is_first=True)

    async def _read(self, readings: Readings, *, is_first: bool) -> None:
        site, charger_id, access = self._installation_id, self._charger_id, self.access
        if self.is_complete:
            rows = await readings.once(
                "rows", lambda: site_rows(site, now=access.now), changed_by=(InstallationChanged,)
            )
            seen = {} if rows is None else rows.seen_by(access)
            if charger_id is not None:
                seen = {charger_id: seen[charger_id]} if charger_id in seen else {}
            # What is heard later is newer by its version; what was heard before one came is not there otherwise.
            changed_by = None if is_first else (InstallationChanged,)
            found = await readings.once("statuses", lambda: site_statuses(site, now=access.now), changed_by=changed_by)
            self._installation = None if rows is None else rows.installation
            self._rows = {key: row for key, row in seen.items() if key in found}
            self._statuses = {key: found[key] for key in self._rows}
        else:
            self._statuses = dict(await followed_statuses(access, site, charger_id))
            self._rows = await chargers_by_ids(access, list(self._statuses))
            self._installation = (await installations_by_ids(access, [site])).get(site)
        self._views = {key: access.status_view(key, site, None) for key in self._rows}

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """Every charger's status, then READY; after a move the statuses only, which may now show more or less."""
        nowhere = self.cursors.nowhere
        if is_move:
            return [self._live(one, "CHANGED", cursor=nowhere) for one in self._rows]
        snapshot = [self._live(one, "SNAPSHOT", is_resync=is_resync, cursor=nowhere) for one in self._rows]
        return [*snapshot, self._ready(is_resync=is_resync)]

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """The status of each charger that had another, then READY. None when chargers came or went: which is not known."""
        if any(isinstance(one, InstallationChanged) and not one.chargers_stay for one in missed):
            return None
        touched = dict.fromkeys(one.charger_id for one in missed if isinstance(one, ChargerStatusChanged))
        changed = [self._live(one, "CHANGED", cursor=cursor) for one in touched if one in self._rows]
        return [*changed, self._ready(is_resync=False)]

    def take_now(self, event: Event) -> Sequence[Live] | None:
        """A status; anything else but a change of the tree changes nothing here."""
        match event:
            case ChargerStatusChanged():
                return self._take_status(event)
            case InstallationChanged():
                return None
        return ()

    async def take(self, event: Event) -> Sequence[Live]:
        """What the fact changes here."""
        told = self.take_now(event)
        return await self._reload() if told is None else told

    async def refresh(self) -> Sequence[Live]:
        """Statuses that changed unheard, and a heartbeat."""
        return [
            *await self._reload(),
            Live(StatusEventRow("HEARTBEAT", MARK), "heartbeat", shown=Shown("HEARTBEAT", None)),
        ]

    def leaving(self, successor: Source) -> Sequence[Live]:
        """REMOVED for each charger that no longer exists for them."""
        seen = successor.access
        return [self._removed(one) for one in self._rows if not seen.sees_charger(one, self._installation_id)]

    def _take_status(self, event: ChargerStatusChanged) -> Sequence[Live]:
        known = self._statuses.get(event.charger_id)
        if known is None or event.version <= known.version:
            return ()
        self._statuses[event.charger_id] = event
        return (self._live(event.charger_id, "CHANGED"),)

    async def _reload(self) -> Sequence[Live]:
        before, rows_before = self._statuses, self._rows
        assert self._readings is not None  # noqa: S101  it was opened
        await self._read(self._readings, is_first=False)
        if self._charger_id is not None and self._charger_id not in self._rows:
            raise AccessEndedError
        # What was heard may be newer than what was read.
        for charger_id, heard in before.items():
            read = self._statuses.get(charger_id)
            if read is not None and heard.version > read.version:
                self._statuses[charger_id] = heard
        gone = [one for one in rows_before if one not in self._rows]
        changed = [
            one
            for one, row in self._rows.items()
            if (rows_before.get(one) is not row and rows_before.get(one) != row)
            or one not in before
            or before[one].version < self._statuses[one].version
        ]
        return [*(self._removed(one) for one in gone), *(self._live(one, "CHANGED") for one in changed)]

    def _ready(self, *, is_resync: bool) -> Live:
        return Live(StatusEventRow("READY", MARK, is_resync), shown=Shown(("READY", is_resync), None))

    def _removed(self, charger_id: UUID) -> Live:
        return Live(
            StatusEventRow("REMOVED", MARK, False, charger_id), charger_id, shown=Shown(("REMOVED", charger_id), None)
        )

    def _live(self, charger_id: UUID, kind: str, *, is_resync: bool = False, cursor: str | None = None) -> Live:
        """The charger's status; the same object for all who see as much of it, but for where they are in the stream."""
        parts = (self._statuses[charger_id], self._views[charger_id], self._rows[charger_id], self._installation)
        place = (charger_id, kind, parts[1], is_resync)
        known = self._made.get(place)
        if known is None or not all(map(operator.is_, known[0], parts)):
            known = self._made[place] = (parts, self._made_of(charger_id, kind, is_resync=is_resync))
        return known[1] if cursor is None else replace(known[1], cursor=cursor)

    def _made_of(self, charger_id: UUID, kind: str, *, is_resync: bool) -> Live:
        view, viewer = self._views[charger_id], self.access.user_id
        driver = self._statuses[charger_id].session_user_id
        if driver is not None and viewer == driver:
            view = StatusView.FULL
        live = self._seen(charger_id, kind, view, is_resync=is_resync)
        if driver is None or viewer is not None or view is StatusView.FULL:
            return live
        # Nobody in particular has these eyes: whose charge it is may be among those who have them.
        return replace(live, own=(driver, self._seen(charger_id, kind, StatusView.FULL, is_resync=is_resync)))

    def _seen(self, charger_id: UUID, kind: str, view: StatusView, *, is_resync: bool) -> Live:
        status, row = self._statuses[charger_id], self._rows[charger_id]
        known: Known = {
            (installations_by_ids, self._installation_id): self._installation,
            (visible_statuses, charger_id): status_in(view, status),
            (chargers_by_ids, charger_id): row,
        }
        return Live(
            StatusEventRow(kind, MARK, is_resync, charger_id, row),
            None if kind == "SNAPSHOT" else charger_id,
            known=known,
            shown=Shown((charger_id, kind, is_resync), status.version, (status, view, row, self._installation)),
        )


async def charger_status(context: Context, *, charger_id: UUID | None, installation_id: UUID | None) -> Source:
    """The statuses of that charger or installation. NotFoundError when it is hidden or absent."""
    access, secret = context.access, context.ports.secret_key
    if charger_id is not None:
        return StatusSource(access, await followed_charger(access, charger_id), charger_id, secret=secret)
    if installation_id is not None:
        return StatusSource(access, await followed_installation(access, installation_id), None, secret=secret)
    raise NotFoundError(path=("target",))
