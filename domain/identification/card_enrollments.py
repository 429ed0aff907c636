"""Cards enrolled by showing them to a charger: the next unknown one within the time becomes that person's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import CARD_MANAGERS, CHARGERS, Access
from domain.charging.live import padded
from domain.checks import Problems
from domain.errors import ChargerOfflineError, ConflictError, NotFoundError, invalid
from domain.events import CardEnrollmentChanged, Event
from domain.identification.cards import MOST_CARDS, NAME_LENGTH, UNNAMED, is_card_number, kept_person, masked
from domain.identity.people import PersonKey
from domain.ids import new_id
from domain.models import CardEnrollment, ChargeCard
from domain.ports import EventBus
from domain.roles import EnrollmentState

SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 10, 300
_CHARGER = ("chargerId",)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRow:
    """Waiting for a card, as who may know of it sees it. One whose time is over is EXPIRED, whether or not anybody wrote so."""

    id: UUID
    charger_id: UUID
    state: EnrollmentState
    expires_at: datetime
    card_id: UUID | None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will come."""
        return self.state is not EnrollmentState.WAITING


async def start_card_enrollment(
    access: Access,
    charger_id: UUID,
    *,
    person: PersonKey | None = None,
    name: str | None = None,
    window_s: int = 60,
    bus: EventBus,
) -> UUID:
    """The next unknown card at that charger's station is the person's (None: the actor's), if it is shown within the time.

    For oneself: who may charge there; for others: who keeps the cards there. ChargerOfflineError when nothing can be read there now;
    ConflictError while another waits at the station; one's own earlier waiting is replaced.
    """
    actor = access.signed_in()
    place = await sql.row(_PLACE, charger_id)
    if place is None or not access.sees_charger(charger_id, sql.uuid_of(place["installation_id"])):
        raise NotFoundError(path=_CHARGER)
    installation_id = sql.uuid_of(place["installation_id"])
    allowed = CHARGERS if person is None else CARD_MANAGERS
    access.manage_charger(charger_id, installation_id, allowed, path=_CHARGER)
    user_id = access.person() if person is None else await kept_person(access, person)
    problems = Problems()
    shown_name = problems.optional_text("name", name, most=NAME_LENGTH) or UNNAMED
    problems.raise_any()
    if not SHORTEST_WINDOW_S <= window_s <= LONGEST_WINDOW_S:
        raise invalid("windowSeconds", f"This is from {SHORTEST_WINDOW_S} to {LONGEST_WINDOW_S} seconds.")
    if not place["is_online"]:
        is_detailed = access.sees_charger_details(charger_id, installation_id)
        last_seen_at = sql.optional_instant_of(place["last_seen_at"]) if is_detailed else None
        raise ChargerOfflineError(
            "This charger is not connected right now: no card can be read there.", last_seen_at=last_seen_at
        )
    row = CardEnrollment(
        id=new_id(),
        installation_id=installation_id,
        charger_id=charger_id,
        user_id=user_id,
        name=shown_name,
        requested_by_id=actor.id,
        created_at=access.now,
        expires_at=access.now + timedelta(seconds=window_s),
    )
    async with in_transaction():
        # A write to the charger's row first: two who begin at once wait for each other here.
        await sql.execute("UPDATE chargers SET name = name WHERE id = $1", charger_id)
        replaced = await _made_way(charger_id, actor.id, access.now)
        await row.save(force_create=True)
        after = {"userId": str(user_id), "name": shown_name, "windowSeconds": window_s}
        await audit.record(
            access, "chargeCard.enroll", "Charger", charger_id, installation_id=installation_id, after=after
        )
    await bus.publish(*(CardEnrollmentChanged(one) for one in replaced))
    return row.id


_PLACE = """
SELECT c.installation_id, t.is_online, s.last_seen_at FROM chargers c JOIN charger_statuses t ON t.charger_id = c.id
LEFT JOIN stations s ON s.id = c.station_id WHERE c.id = $1 AND c.removed_at IS NULL
"""


async def _made_way(charger_id: UUID, actor_id: UUID, now: datetime) -> list[UUID]:
    """The actor's own waiting at the station is over; ConflictError when another's goes on: a card has one reader and one owner."""
    rows = await sql.rows(_WAITING_AT_STATION, EnrollmentState.WAITING, now, charger_id)
    if any(sql.uuid_of(row["requested_by_id"]) != actor_id for row in rows):
        raise ConflictError("Somebody is enrolling a card at this charger; try again in a moment.", path=_CHARGER)
    ended = [sql.uuid_of(row["id"]) for row in rows]
    for identity in ended:
        await sql.execute("UPDATE card_enrollments SET state = $2 WHERE id = $1", identity, EnrollmentState.EXPIRED)
    return ended


_WAITING_AT_STATION = """
SELECT e.id, e.requested_by_id FROM card_enrollments e JOIN chargers c ON c.id = e.charger_id
WHERE e.state = $1 AND e.expires_at > $2
  AND (c.id = $3 OR c.station_id = (SELECT o.station_id FROM chargers o WHERE o.id = $3))
"""


async def enrollments_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, EnrollmentRow]:
    """Those among `ids` that exist for this caller: who asked, the person, and who keeps the cards there; by id."""
    arguments: list[object] = []
    wanted = sql.any_of("e.id", list(ids), arguments)
    visible = _visible(access, arguments)
    rows = await sql.rows(f"SELECT e.* FROM card_enrollments e WHERE {wanted} AND {visible}", *arguments)  # noqa: S608
    return {row.id: row for row in (_row(found, access.now) for found in rows)}


def _visible(access: Access, arguments: list[object]) -> str:
    if access.actor is None:
        return "1 = 0"
    if access.is_administrator:
        return "1 = 1"
    arguments.extend((access.actor.id, access.user_id))
    last = len(arguments)
    kept = sql.any_of("e.installation_id", access.installations_with(CARD_MANAGERS), arguments)
    return f"(e.requested_by_id = ${last - 1} OR e.user_id = ${last} OR {kept})"


def _row(row: Mapping[str, Any], now: datetime) -> EnrollmentRow:
    state, expires_at = EnrollmentState(row["state"]), sql.instant_of(row["expires_at"])
    is_over = state is EnrollmentState.WAITING and expires_at <= now
    return EnrollmentRow(
        id=sql.uuid_of(row["id"]),
        charger_id=sql.uuid_of(row["charger_id"]),
        state=EnrollmentState.EXPIRED if is_over else state,
        expires_at=expires_at,
        card_id=sql.optional_uuid_of(row["card_id"]),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A card that was just shown at a station, normalised."""

    station_id: UUID
    number: str


async def enroll(shown: Iterable[Shown], *, now: datetime) -> list[Event]:
    """Cards that were waited for are their people's; call in the transaction that decides about them, before it does.

    Machines only. A card that somebody has already is TAKEN, and stays whose it is.
    """
    cards = {(one.station_id, one.number): one for one in shown if is_card_number(one.number)}
    if not cards:
        return []
    arguments: list[object] = [EnrollmentState.WAITING, now]
    stations = sql.any_of("c.station_id", padded([station for station, _ in cards]), arguments)
    waiting = await sql.rows(
        "SELECT e.*, c.station_id FROM card_enrollments e JOIN chargers c ON c.id = e.charger_id"  # noqa: S608
        f" WHERE e.state = $1 AND e.expires_at > $2 AND {stations} ORDER BY e.created_at, e.id",
        *arguments,
    )
    for number in await _made_up([number for _, number in cards]) if waiting else ():
        cards = {key: one for key, one in cards.items() if one.number != number}
    events: list[Event] = []
    for row in waiting:
        station_id = sql.uuid_of(row["station_id"])
        found = next((one for (station, _), one in cards.items() if station == station_id), None)
        if found is not None:
            del cards[station_id, found.number]
            events.append(await _enrolled(row, found.number, now))
    return events


async def _made_up(numbers: Sequence[str]) -> set[str]:
    """Those that are no cards but names of starts from an app, which chargers ask about as if they had been shown."""
    arguments: list[object] = []
    wanted = sql.any_of("id_token", sorted(set(numbers)), arguments)
    rows = await sql.rows(f"SELECT DISTINCT id_token FROM commands WHERE {wanted}", *arguments)  # noqa: S608
    return {row["id_token"] for row in rows}


async def _enrolled(row: Mapping[str, Any], number: str, now: datetime) -> Event:
    enrollment_id, user_id = sql.uuid_of(row["id"]), sql.uuid_of(row["user_id"])
    has_room = await ChargeCard.filter(user_id=user_id).count() < MOST_CARDS
    card_id, state = None, EnrollmentState.TAKEN
    new = new_id()
    # Somebody may be registering the same number at this moment: then the row is theirs, and this transaction goes on.
    if has_room and await sql.row(_INSERT, new, user_id, number, row["name"], now) is not None:
        card_id, state = new, EnrollmentState.ENROLLED
        await audit.record_portal(
            "chargeCard.register",
            "ChargeCard",
            new,
            now=now,
            installation_id=sql.uuid_of(row["installation_id"]),
            after={"name": row["name"], "number": masked(number), "userId": str(user_id)},
        )
    await sql.execute(
        "UPDATE card_enrollments SET state = $2, card_id = $3 WHERE id = $1", enrollment_id, state, card_id
    )
    return CardEnrollmentChanged(enrollment_id)


_INSERT = """
INSERT INTO charge_cards (id, user_id, number, name, is_blocked, created_at) VALUES ($1, $2, $3, $4, FALSE, $5)
ON CONFLICT (number) DO NOTHING RETURNING id
"""


async def forget(*, before: datetime) -> int:
    """How many that began before then were removed."""
    return await sql.execute("DELETE FROM card_enrollments WHERE created_at < $1", before)
