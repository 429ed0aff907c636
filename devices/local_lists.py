"""Keeps the local authorization list of every charger here in step with who may charge, again and again until it is so."""

import asyncio
import contextlib
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from devices.following import Following
from devices.link import Link
from devices.ocpp.protocol import ListLimits
from devices.registry import Registry
from devices.signal import Signal
from domain import events, sql
from domain.clock import Clock
from domain.errors import UnavailableError
from domain.events import LocalListOutdated
from domain.identification import local_lists
from domain.identification.local_list_rules import Entries, Update, applied, updates
from domain.identification.local_lists import OutdatedError
from domain.ports import DeviceAnswer, DeviceVerdict, EventBus

BOOT_EXPECTED_S = 2.0
"""A charger that has just started is not asked anything before it said so."""
LOOK_AGAIN_S = 900.0
"""How often a list is compared at least, in case a change was not heard of."""
GATHER_S = 0.5
"""Changes that come together are sent together."""
RETRY_FIRST_S, RETRY_LONGEST_S = 10.0, 900.0
ANSWER_TIMEOUT_S = 120.0
"""A call may wait for others of the same charger."""
MOST_PER_MESSAGE = 100
"""Entries a message, where the charger does not say fewer: about 10 kB."""
MOST_AT_ONCE = 8
"""Lists that are read from the database at the same time."""

_AWAY = (UnavailableError, *sql.DATABASE_AWAY)
_log = structlog.get_logger(__name__)


class _NotKeptError(Exception):
    """The charger keeps no list."""


class _NotTakenError(Exception):
    """The charger did not take an update; what it holds now is not known."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """How a charger is set by now, and when its list is to be looked at again."""

    limits: ListLimits
    changes_s: float


@dataclass
class LocalLists:
    """The lists of the chargers that are connected to this process. `run` hears of changes, `keep` runs beside each link."""

    registry: Registry
    bus: EventBus
    clock: Clock
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def run(self) -> None:
        """Until cancelled."""
        outdated: Callable[[Link], Signal] = operator.attrgetter("list_outdated")
        channel = events.LOCAL_LISTS_CHANNEL
        await Following(channel, LocalListOutdated, outdated, self.registry, self.bus, self.clock).run()

    async def keep(self, link: Link) -> None:
        """The link's charger is brought into step now, at each change, and when a permission begins or ends; for as long as it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOOT_EXPECTED_S):
                await link.booted.wait()
        limits: ListLimits | None = None
        retry_s = RETRY_FIRST_S
        while True:
            link.list_outdated.clear()
            try:
                limits = limits or await self._limits(link)
                kept = await self._synchronise(link, limits)
                limits, wait_s, retry_s = kept.limits, kept.changes_s, RETRY_FIRST_S
            except OutdatedError:
                return
            except _NotKeptError as reason:
                with contextlib.suppress(OutdatedError, *_AWAY):
                    await local_lists.unsupported(link.station_id, str(reason), epoch=link.epoch)
                await self._keep_forgetting(link)
                return
            except (_NotTakenError, *_AWAY) as error:
                _log.info("a local list is not in step", identity=link.identity, reason=str(error))
                with contextlib.suppress(OutdatedError, *_AWAY):
                    await local_lists.failed(link.station_id, str(error), epoch=link.epoch)
                wait_s, retry_s = retry_s, min(RETRY_LONGEST_S, 2 * retry_s)
            except ConnectionError:
                raise
            except Exception:
                # A defect of ours must not leave a list as it is until the charger happens to come back.
                _log.exception("a local list could not be kept", identity=link.identity)
                wait_s, retry_s = retry_s, min(RETRY_LONGEST_S, 2 * retry_s)
            await self._wait(link, wait_s)

    async def _keep_forgetting(self, link: Link) -> None:
        """A charger without a list forgets whom it has let in, now and whenever who may charge changes; for as long as it obeys."""
        while True:
            link.list_outdated.clear()
            answer = await link.call(link.adapter.forget_cards(), timeout_s=ANSWER_TIMEOUT_S)
            if answer.verdict is not DeviceVerdict.ACCEPTED:
                return
            await link.list_outdated.wait()
            await self.clock.sleep(GATHER_S)

    async def _wait(self, link: Link, for_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await link.list_outdated.wait()
        await self.clock.sleep(GATHER_S)

    async def _limits(self, link: Link) -> ListLimits:
        """What the charger says about its list."""
        await self._version(link)
        return link.adapter.list_limits(await link.call(link.adapter.ask_list_limits(), timeout_s=ANSWER_TIMEOUT_S))

    async def _settle(self, link: Link, limits: ListLimits, *, is_open: bool) -> ListLimits:
        """The charger is set as it has to be, as far as it lets itself."""
        values = dict(limits.values)
        for name, value, outgoing in link.adapter.list_settings(limits, is_open=is_open):
            answer = await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
            if answer.verdict is DeviceVerdict.ACCEPTED:
                values[name] = value
        if link.adapter.remembers(limits.values):
            # Also where that could not be switched off, each time that who may charge has changed.
            await link.call(link.adapter.forget_cards(), timeout_s=ANSWER_TIMEOUT_S)
        return replace(limits, values=values)

    async def _version(self, link: Link) -> int:
        answer = await link.call(link.adapter.ask_list_version(), timeout_s=ANSWER_TIMEOUT_S)
        # Some firmware says nothing to what it does not know. It must not be asked until it looks as if it hangs.
        is_silent = answer.verdict is DeviceVerdict.TIMEOUT and not await local_lists.is_kept(link.station_id)
        if answer.verdict in (DeviceVerdict.TIMEOUT, DeviceVerdict.OFFLINE) and not is_silent:
            raise _NotTakenError(answer.detail)
        version = link.adapter.list_version(answer)
        if version is None:
            raise _NotKeptError(f"The charger keeps no local list: {answer.detail}")
        return version

    async def _synchronise(self, link: Link, limits: ListLimits) -> "_Kept":
        """The charger holds what it should."""
        version = await self._version(link)
        now = self.clock.now()
        async with self._room:
            wanted = await local_lists.wanted(link.station_id, most=limits.most_entries, now=now)
            held = await local_lists.held(link.station_id)
        limits = await self._settle(link, limits, is_open=wanted.is_open)
        # Where an external system decides, one that would not ask it first is to know nobody.
        is_for_none = wanted.is_asked_first and not link.adapter.asks_first(limits.values)
        target = {} if is_for_none else wanted.entries
        # Any other version: an answer was lost, or the list was changed without us.
        entries: Entries | None = held.entries if version == held.version else None
        if version == 0 and not target:
            entries = {}
        most = min(MOST_PER_MESSAGE, limits.most_per_message or MOST_PER_MESSAGE)
        version = max(version, held.version)
        try:
            await self._bring(link, entries, target, version, most)
        except _NotTakenError:
            if entries is None:
                raise
            # Its list is not what it was said to be: the whole of it, at once.
            await self._bring(link, None, target, await self._version(link), most)
        changes_s = LOOK_AGAIN_S
        if wanted.changes_at is not None:
            changes_s = min(changes_s, max(0.0, (wanted.changes_at - self.clock.now()).total_seconds()))
        return _Kept(limits, changes_s)

    async def _bring(self, link: Link, entries: Entries | None, target: Entries, version: int, most: int) -> None:
        """The list is brought from these entries (None: not known) to the target, under versions after that one."""
        for update in updates(entries, target, most=most):
            version += 1
            await self._send(link, update, version)
            entries = applied(entries, update)
            await local_lists.confirmed(link.station_id, version, entries, epoch=link.epoch, now=self.clock.now())

    async def _send(self, link: Link, update: Update, version: int) -> None:
        answer: DeviceAnswer = await link.call(link.adapter.send_list(update, version), timeout_s=ANSWER_TIMEOUT_S)
        if answer.verdict is DeviceVerdict.ACCEPTED:
            return
        if answer.detail == link.adapter.keeps_no_list:
            raise _NotKeptError("The charger keeps no local list: it says so to an update.")
        # Version 0 is no version that we ever sent, so that the whole list goes out next.
        await local_lists.confirmed(link.station_id, 0, {}, epoch=link.epoch, now=self.clock.now())
        raise _NotTakenError(f"An update was not taken: {answer.detail or answer.verdict}")
