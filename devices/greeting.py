"""What a charger is asked after it connected: to send its readings as often as we want them, to say how its connectors are, and what its
kind can do.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from devices.kinds import Kinds
from devices.link import Link, Settings
from domain import sql
from domain.capabilities import NOBODY_KNOWS
from domain.ports import DeviceAnswer, DeviceVerdict

BOOT_EXPECTED_S = 2.0
"""A charger that has just started says so first; one that only reconnected does not, and is asked at once."""
ANSWER_TIMEOUT_S = 60.0


_AWAY = (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE)
_CANNOT = ("NotImplemented", "NotSupported")


async def greet(link: Link, settings: Settings, kinds: Kinds) -> None:
    """After a boot the charger is configured (it tells its statuses on its own, OCPP 1.6 §4.2); after a mere reconnect it is asked."""
    try:
        async with asyncio.timeout(BOOT_EXPECTED_S):
            await link.booted.wait()
    except TimeoutError:
        await _treat_as_known(link, kinds)
        await _ask_for_statuses(link, kinds)
        await _get_to_know(link, kinds)
        await link.booted.wait()
    while True:
        link.booted.clear()
        await _treat_as_known(link, kinds)
        for outgoing in link.adapter.settings(meter_interval_s=settings.meter_interval_s):
            await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
        await _get_to_know(link, kinds)
        await link.booted.wait()


async def _treat_as_known(link: Link, kinds: Kinds) -> None:
    """The charger is treated as its kind wants it, as far as that is known."""
    with contextlib.suppress(*_AWAY):
        await kinds.is_known(link.kind)
    link.treat_as(kinds.of(link.kind))


async def _get_to_know(link: Link, kinds: Kinds) -> None:
    """The first charger of a kind is asked what it can do; last, because some firmware says nothing to that."""
    with contextlib.suppress(*_AWAY):
        if link.kind != NOBODY_KNOWS and not await kinds.is_known(link.kind):
            answer = await link.call(link.adapter.ask_capabilities(), timeout_s=ANSWER_TIMEOUT_S)
            if answer.verdict not in (DeviceVerdict.TIMEOUT, DeviceVerdict.OFFLINE):
                await _learn(link, kinds, link.adapter.capabilities(answer))


async def _learn(link: Link, kinds: Kinds, facts: Mapping[str, object]) -> None:
    kinds.learn(link.kind, facts)
    link.treat_as(kinds.of(link.kind))
    with contextlib.suppress(*_AWAY):
        await kinds.keep(link.kind)


async def _ask_for_statuses(link: Link, kinds: Kinds) -> None:
    for evse in sorted(link.chargers):
        for outgoing in link.adapter.questions(evse=evse):
            if not link.capabilities.takes_triggers:
                return
            answer = await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
            if _says_it_cannot(answer):
                await _learn(link, kinds, {"takes_triggers": False})


def _says_it_cannot(answer: DeviceAnswer) -> bool:
    """Whether the whole message is unknown to it (a CALLERROR): that of one trigger only says nothing about others."""
    return answer.verdict is DeviceVerdict.ERROR and (answer.detail or "").startswith(_CANNOT)
