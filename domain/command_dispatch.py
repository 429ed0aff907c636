"""Stored commands reach their chargers: sent once, their progress recorded and published. A service of the running program."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from domain import sql
from domain.authorization.authorizer import Asks
from domain.charging import authorizing
from domain.clock import Clock
from domain.events import CommandChanged
from domain.models import ChargeSession, Command
from domain.observations import ConnectorStatus
from domain.ports import (
    ChargerCommands,
    DeviceAnswer,
    DeviceCommand,
    DeviceVerdict,
    EventBus,
    Restart,
    SendDiagnostics,
    StartCharging,
    StopCharging,
    Unlock,
    UpdateFirmware,
)
from domain.roles import AuthorizationDecision, CommandAction, CommandState

MOST_WAITING = 10_000
MOST_AT_ONCE = 500
EFFECT_POLL_S = 0.5
"""How often the effect of a command is looked for; a person waits for it, and there are few at a time."""
SWEEP_EVERY_S = 0.5
"""How often it is looked for chargers that were opened and have a car now, all at once: somebody stands before them."""
LONGEST_ANSWER_S = 600.0
"""A command whose effect takes hours is answered, or not, long before."""
LEFT_AFTER = timedelta(seconds=5)
"""A command that nobody has sent by then was left: by a process that ended, or because the database was away."""

_log = structlog.get_logger(__name__)

_FINAL_ANSWERS = {
    DeviceVerdict.REJECTED: CommandState.REJECTED,
    DeviceVerdict.TIMEOUT: CommandState.TIMEOUT,
    DeviceVerdict.ERROR: CommandState.ERROR,
    DeviceVerdict.OFFLINE: CommandState.OFFLINE,
}


class CommandDispatcher:
    """Sends commands that were handed over with `send_soon` while `run` runs, each in a task of its own."""

    def __init__(self, *, commands: ChargerCommands, asks: Asks, bus: EventBus, clock: Clock) -> None:
        self._commands = commands
        self._asks = asks
        self._bus = bus
        self._clock = clock
        self._waiting: asyncio.Queue[UUID] = asyncio.Queue(MOST_WAITING)
        self._taken_on: set[UUID] = set()

    def send_soon(self, command_id: UUID) -> None:
        """The command will be sent; when too many wait, it stays QUEUED until a sweep finds it or its deadline ends it."""
        if command_id in self._taken_on:
            return
        try:
            self._waiting.put_nowait(command_id)
        except asyncio.QueueFull:
            _log.error("a command could not be queued", command_id=str(command_id))
        else:
            self._taken_on.add(command_id)

    async def run(self) -> None:
        """Until cancelled; first takes up commands that a process left unsent when it ended."""
        slots = asyncio.Semaphore(MOST_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep_all(), name="commands left")
            while True:
                command_id = await self._waiting.get()
                await slots.acquire()
                task = tasks.create_task(self._carry_out(command_id), name=f"command {command_id}")
                task.add_done_callback(lambda _: slots.release())

    async def _sweep_all(self) -> None:
        left_after = timedelta(0)
        while True:
            try:
                await self.sweep(left_before=self._clock.now() - left_after)
            except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE) as error:
                _log.warning("commands wait for the database", reason=type(error).__name__)
            left_after = LEFT_AFTER
            await self._clock.sleep(SWEEP_EVERY_S)

    async def sweep(self, *, left_before: datetime) -> None:
        """Chargers that were opened and have a car now begin; so does what was asked for before then and is not sent yet."""
        for row in await sql.rows(_UNSENT, self._clock.now(), left_before):
            self.send_soon(sql.uuid_of(row["id"]))

    async def _carry_out(self, command_id: UUID) -> None:
        try:
            await self.carry_out(command_id)
        except Exception as error:  # whatever befell one command, the others go on; it ends at its deadline
            _log.error("a command could not be carried out", command_id=str(command_id), reason=type(error).__name__)
        finally:
            self._taken_on.discard(command_id)

    async def carry_out(self, command_id: UUID) -> None:
        """The command is sent, by one process only, and its effect awaited until the deadline."""
        command = await Command.get(id=command_id)
        if command.action is CommandAction.AUTHORIZE and await sql.row(_HAS_CAR, command.charger_id) is None:
            return  # It waits QUEUED for a sweep of any process.
        claimed = await sql.execute(_CLAIM, command_id, self._clock.now())
        if claimed != 1:
            return
        await self._publish(command_id, command.charger_id, CommandState.SENT)
        if command.action is CommandAction.START and not await self._is_permitted(command):
            return
        if command.action in (CommandAction.PAUSE, CommandAction.RESUME):
            await self._await_offer(command)
            return
        device_command = await _device_command(command)
        if device_command is None:
            await self._finish(
                command, CommandState.ERROR, "The charge had no number at the charger, or was over already."
            )
            return
        timeout_s = min(LONGEST_ANSWER_S, max(1.0, (command.deadline - self._clock.now()).total_seconds()))
        answer = await self._commands.send(command.charger_id, device_command, timeout_s=timeout_s)
        await self._take_answer(command, answer)

    async def _is_permitted(self, command: Command) -> bool:
        """Whether its person may charge there; else the command ends with the reason."""
        found = await authorizing.requested(command.charger_id, command.id_token or "", now=self._clock.now())
        await self._bus.publish(*found.events)
        decision, reason = found.decision, found.reason
        if found.question is not None and found.question.is_shadow:
            self._asks.ask_soon(found.question)
        elif found.question is not None:
            settled = await self._asks.decided(found.question)
            decision, reason = settled.decision, settled.reason
        if decision is AuthorizationDecision.ACCEPTED:
            return True
        await self._finish(command, CommandState.REJECTED, reason or "Charging is not permitted here.")
        return False

    async def _take_answer(self, command: Command, answer: DeviceAnswer) -> None:
        final = _FINAL_ANSWERS.get(answer.verdict)
        if final is not None:
            await self._finish(command, final, answer.detail)
        elif command.action is CommandAction.UNLOCK:
            # The charger answers when the lock has moved: its word is the effect (OCPP 1.6 §5.18).
            await self._finish(command, CommandState.CONFIRMED, answer.detail)
        else:
            # The effect may have come before the answer: only a command that is still SENT becomes ACCEPTED.
            moved = await sql.execute(_ACCEPT, command.id, (answer.detail or "")[:500] or None)
            if moved:
                await self._publish(command.id, command.charger_id, CommandState.ACCEPTED)
            if command.action is CommandAction.START:
                await self._set_target(command)

    async def _set_target(self, command: Command) -> None:
        """The session that follows the start has its driver's target and departure."""
        if command.energy_target_wh is None and command.departure_at is None:
            return
        while self._clock.now() < command.deadline:
            row = await Command.get(id=command.id)
            if row.session_id is not None:
                await ChargeSession.filter(id=row.session_id).update(
                    energy_target_wh=command.energy_target_wh, departure_at=command.departure_at
                )
                return
            if row.state.is_final:
                return
            await self._clock.sleep(EFFECT_POLL_S)

    async def _await_offer(self, command: Command) -> None:
        """CONFIRMED when the balancer's offer says so and the charger has acknowledged it; a resumed charge may have to queue."""
        is_pause = command.action is CommandAction.PAUSE
        while self._clock.now() < command.deadline:
            row = await sql.row(_OFFER, command.charger_id, command.session_id)
            if row is None or bool(row["is_paused"]) is not is_pause:
                await self._finish(
                    command, CommandState.UNCONFIRMED, "The charge ended, or another command came after this one."
                )
                return
            decided_at = sql.optional_instant_of(row["decided_at"])
            if decided_at is not None and decided_at >= command.requested_at:
                offered = row["confirmed_a"]
                if offered is not None and (offered == 0) is is_pause:
                    await self._finish(command, CommandState.CONFIRMED, None)
                    return
                if not is_pause and row["queue_position"] is not None:
                    await self._finish(command, CommandState.CONFIRMED, "Waiting for its turn.")
                    return
            await self._clock.sleep(EFFECT_POLL_S)
        await self._finish(command, CommandState.UNCONFIRMED, "The charger has not acknowledged it in time.")

    async def _finish(self, command: Command, state: CommandState, detail: str | None) -> None:
        moved = await sql.execute(_FINISH, command.id, state, self._clock.now(), (detail or "")[:500] or None)
        if moved:
            await self._publish(command.id, command.charger_id, state)

    async def _publish(self, command_id: UUID, charger_id: UUID, state: CommandState) -> None:
        await self._bus.publish(CommandChanged(command_id=command_id, charger_id=charger_id, state=state))


async def _device_command(command: Command) -> DeviceCommand | None:
    """What goes to the charger; None when the charge to stop is not known to it."""
    match command.action:
        case CommandAction.START | CommandAction.AUTHORIZE:
            return StartCharging(command.id_token or "")
        case CommandAction.RESTART:
            return Restart()
        case CommandAction.UNLOCK:
            return Unlock()
        case CommandAction.UPDATE_FIRMWARE:
            return UpdateFirmware(command.url or "", command.retrieve_at or command.requested_at)
        case CommandAction.OTHER:
            return SendDiagnostics(command.url or "")
        case CommandAction.STOP:
            row = await sql.row(_TRANSACTION, command.session_id)
            return None if row is None else StopCharging(str(row["transaction_id"]))
    return None


# A charge that nobody has claimed is a car that waits, too: OCPP 2.0.1 begins a transaction with the cable.
_CAR_WAITS = f"""
(t.connector_status = '{ConnectorStatus.PREPARING}' AND t.session_id IS NULL OR EXISTS (SELECT 1 FROM charge_sessions s
 WHERE s.id = t.session_id AND s.id_token IS NULL AND s.authorized_at IS NULL))
"""  # noqa: S608  enums' values
_HAS_CAR = f"SELECT 1 AS found FROM charger_statuses t WHERE t.charger_id = $1 AND {_CAR_WAITS}"  # noqa: S608
_UNSENT = f"""
SELECT m.id FROM commands m JOIN charger_statuses t ON t.charger_id = m.charger_id
WHERE m.state = '{CommandState.QUEUED}' AND m.deadline > $1
  AND CASE WHEN m.action = '{CommandAction.AUTHORIZE}' THEN {_CAR_WAITS} ELSE m.requested_at <= $2 END
ORDER BY m.id
"""  # noqa: S608  enums' values
_CLAIM = f"""
UPDATE commands SET state = '{CommandState.SENT}' WHERE id = $1 AND state = '{CommandState.QUEUED}' AND deadline > $2
"""  # noqa: S608  enums' values
_ACCEPT = f"""
UPDATE commands SET state = '{CommandState.ACCEPTED}', detail = $2 WHERE id = $1 AND state = '{CommandState.SENT}'
"""  # noqa: S608  enums' values
_FINISH = f"""
UPDATE commands SET state = $2, finished_at = $3, detail = $4
WHERE id = $1 AND state IN ('{CommandState.QUEUED}', '{CommandState.SENT}', '{CommandState.ACCEPTED}')
"""  # noqa: S608  enums' values
_TRANSACTION = """
SELECT transaction_id FROM charge_sessions WHERE id = $1 AND state = 'ACTIVE' AND transaction_id IS NOT NULL
"""
_OFFER = """
SELECT s.is_paused, o.confirmed_a, o.queue_position, o.decided_at
FROM charge_sessions s LEFT JOIN offers o ON o.charger_id = $1 WHERE s.id = $2 AND s.state = 'ACTIVE'
"""
