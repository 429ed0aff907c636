"""What people asked of chargers and is awaited: a report tells that it is under way, has happened or has failed."""

from collections.abc import Sequence
from uuid import UUID

from domain import sql
from domain.authorization.decision import (
    Opening,
    normalised_card_number,
)
from domain.charging import live
from domain.charging.batch import Batch, OpenCommand
from domain.charging.session_store import SessionRecord
from domain.events import CommandChanged
from domain.roles import (
    CommandAction,
    CommandState,
)

_OPEN_COMMAND_STATES = (CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED)

# A charge that began in time is also told of after the deadline; a command that was over before it was withdrawn.
_SPEND = """
UPDATE commands SET state = $2, session_id = $3, finished_at = $4, detail = NULL
WHERE id = $1 AND session_id IS NULL AND (finished_at IS NULL OR finished_at >= deadline)
"""


async def open_commands(charger_ids: Sequence[UUID]) -> list[OpenCommand]:
    """Commands to these chargers whose effect is awaited, oldest first."""
    if not charger_ids:
        return []
    arguments: list[object] = list(_OPEN_COMMAND_STATES)
    condition = sql.any_of("charger_id", live.padded(charger_ids), arguments)
    found = await sql.rows(
        "SELECT id, charger_id, action, id_token, session_id FROM commands"  # noqa: S608  numbers of ours only
        f" WHERE state IN ($1, $2, $3) AND {condition} ORDER BY requested_at, id",
        *arguments,
    )
    return [
        OpenCommand(
            id=sql.uuid_of(row["id"]),
            charger_id=sql.uuid_of(row["charger_id"]),
            action=CommandAction(row["action"]),
            id_token=normalised_card_number(row["id_token"]) if row["id_token"] else None,
            session_id=sql.optional_uuid_of(row["session_id"]),
        )
        for row in found
    ]


async def confirm(batch: Batch, command: OpenCommand, session_id: UUID | None = None) -> None:
    """What the command asked for has happened."""
    batch.commands.remove(command)
    await sql.execute(
        "UPDATE commands SET state = $1, finished_at = $2, session_id = COALESCE($3, session_id) WHERE id = $4",
        CommandState.CONFIRMED,
        batch.now,
        session_id,
        command.id,
    )
    batch.events.append(CommandChanged(command.id, command.charger_id, CommandState.CONFIRMED))


async def progress(batch: Batch, command: OpenCommand, detail: str, *, is_failed: bool) -> None:
    """What the command asked for is under way, or has failed; `detail` is the charger's word for it."""
    state = CommandState.ERROR if is_failed else CommandState.ACCEPTED
    if is_failed:
        batch.commands.remove(command)
    await sql.execute(
        "UPDATE commands SET state = $1, finished_at = $2, detail = $3 WHERE id = $4",
        state,
        batch.now if is_failed else None,
        detail[:500],
        command.id,
    )
    batch.events.append(CommandChanged(command.id, command.charger_id, state))


async def spend(batch: Batch, opening: Opening, id_token: str, session: SessionRecord) -> bool:
    """Whether the opening is spent on that session now; else it was used or withdrawn meanwhile."""
    is_spent = await sql.execute(_SPEND, opening.command_id, CommandState.CONFIRMED, session.id, batch.now) == 1
    batch.credentials.spend(id_token, session.id if is_spent else None)
    if is_spent:
        batch.commands = [one for one in batch.commands if one.id != opening.command_id]
        batch.events.append(CommandChanged(opening.command_id, session.charger_id, CommandState.CONFIRMED))
    return is_spent
