"""The door for what chargers and the portal said to each other, kept for a month for those who look after them. Machines only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from domain import sql
from domain.ids import new_id


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message, without card numbers and passwords."""

    station_id: UUID
    at: datetime
    is_from_charger: bool
    action: str
    payload: str


_COLUMNS = sql.Columns(
    "ocpp_messages",
    {
        "id": "uuid",
        "station_id": "uuid",
        "installation_id": "uuid",
        "at": "timestamptz",
        "is_from_charger": "bool",
        "action": "text",
        "payload": "text",
    },
)


async def insert(messages: Sequence[Message], *, places: Mapping[UUID, UUID] | None = None) -> None:
    """They are stored, each with the place where its station stands (None: as it is stored): of two sockets at two sites that of the
    first.
    """
    if not messages:
        return
    if places is None:
        places = await _places(sorted({one.station_id for one in messages}))
    await _COLUMNS.insert(
        (
            new_id(),
            one.station_id,
            places.get(one.station_id),
            one.at,
            one.is_from_charger,
            one.action[:50].replace("\x00", ""),
            one.payload.replace("\x00", ""),
        )
        for one in messages
    )


async def _places(station_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    arguments: list[object] = []
    wanted = sql.any_of("station_id", station_ids, arguments)
    rows = await sql.rows(
        f"SELECT station_id, installation_id FROM chargers WHERE {wanted} AND removed_at IS NULL ORDER BY evse DESC",  # noqa: S608
        *arguments,
    )
    return {sql.uuid_of(row["station_id"]): sql.uuid_of(row["installation_id"]) for row in rows}


async def forget(*, before: datetime) -> int:
    """How many older messages were removed."""
    return await sql.delete_some("ocpp_messages", "at < $1", before)
