"""What a charger is asked after it connected: to send its readings as often as we want them, to say how its connectors are, and what its
kind can do.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from devices.kinds import Kinds
from devices.link import Link, Settings
from devices.ocpp.adapter import ADAPTERS
from devices.ocpp.protocol import Outgoing, ReportPart
from domain import lifecycle, sql
from domain.equipment.capabilities import NOBODY_KNOWS
from domain.ports import DeviceAnswer, DeviceVerdict

BOOT_EXPECTED_S = 2.0
"""A charger that has just started says so first; one that only reconnected does not, and is asked at once."""
ANSWER_TIMEOUT_S = 60.0
UNANSWERED_AFTER_BOOT, UNANSWERED_AFTER_RECONNECT = 2, 1
"""So many settings without an answer, and no more are sent: firmware that says nothing to them must not look as if it hangs."""
MOST_PARTS = 1000
"""Of a report, that are waited for; a station of the largest has some hundreds."""
NEXT_PART_S = 60.0
REPORT_ID = 1
"""One report is asked for at a time, over one connection."""

_AWAY = (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE)
_CANNOT = ("NotImplemented", "NotSupported")


async def greet(link: Link, settings: Settings, kinds: Kinds) -> None:
    """After a boot the charger is configured (it tells its statuses on its own, OCPP 1.6 §4.2); after a mere reconnect it is asked, and
    configured where what is in force is not known to be what is wanted. So it is asked where its clock is in doubt.
    """
    wanted = _wanted(link.adapter.subprotocol, settings)
    is_asked = False
    try:
        async with asyncio.timeout(BOOT_EXPECTED_S):
            await link.booted.wait()
    except TimeoutError:
        await _treat_as_known(link, kinds)
        await _ask_for_statuses(link, kinds)
        if link.configured_as != _digest(wanted):
            await _configure(link, wanted, most_unanswered=UNANSWERED_AFTER_RECONNECT)
        await _get_to_know(link, kinds)
        is_asked = True
    while True:
        await link.stirred.wait()
        link.stirred.clear()
        has_booted = link.booted.is_set()
        if has_booted:
            link.booted.clear()
            is_asked = False
            await _treat_as_known(link, kinds)
            await _configure(link, wanted, most_unanswered=UNANSWERED_AFTER_BOOT)
        if link.offset.is_doubtful and not is_asked:
            is_asked = True
            await _ask_for_statuses(link, kinds)
        if has_booted:
            await _get_to_know(link, kinds)


@lru_cache
def _wanted(subprotocol: str, settings: Settings) -> tuple[Outgoing, ...]:
    """The same for thousands of chargers, each of which keeps it for as long as it is there."""
    return ADAPTERS[subprotocol].settings(
        meter_interval_s=settings.meter_interval_s, heartbeat_interval_s=settings.heartbeat_interval_s
    )


async def _configure(link: Link, wanted: Sequence[Outgoing], *, most_unanswered: int) -> None:
    """The charger was asked for these settings; where it has answered them all, that outlives the connection. It may refuse each."""
    if link.configured_as is not None:
        await _remember(link, None)
    unanswered = 0
    for outgoing in wanted:
        answer = await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
        unanswered += answer.verdict in (DeviceVerdict.TIMEOUT, DeviceVerdict.OFFLINE)
        if unanswered >= most_unanswered:
            return
    if not unanswered:
        await _remember(link, _digest(wanted))


async def _remember(link: Link, configured_as: str | None) -> None:
    link.configured_as = configured_as
    with contextlib.suppress(*_AWAY):
        await lifecycle.configured(link.station_id, configured_as, epoch=link.epoch)


def _digest(wanted: Sequence[Outgoing]) -> str:
    said = msgspec.json.encode([(one.action, one.payload) for one in wanted])
    return hashlib.blake2b(said, digest_size=32).hexdigest()


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
            if answer.verdict in (DeviceVerdict.TIMEOUT, DeviceVerdict.OFFLINE):
                return
            facts = link.adapter.capabilities(answer)
            if not facts and kinds.asks_for_report(link.kind):
                facts = await _report(link)
            await _learn(link, kinds, facts)


async def _report(link: Link) -> Mapping[str, object]:
    """What a charger that says nothing to the question tells in a report; nothing where it has none."""
    link.report_parts = asyncio.Queue(MOST_PARTS)
    try:
        for outgoing in link.adapter.ask_report(REPORT_ID):
            answer = await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
            if answer.verdict is DeviceVerdict.ACCEPTED:
                return link.adapter.reported(await _gathered(link.report_parts))
            if answer.verdict in (DeviceVerdict.TIMEOUT, DeviceVerdict.OFFLINE):
                break
    finally:
        link.report_parts = None
    return {}


async def _gathered(parts: "asyncio.Queue[ReportPart]") -> Mapping[str, str]:
    """The values of all parts, in whatever order and however often they come; after a while of those that came."""
    values: dict[str, str] = {}
    seen: set[int] = set()
    last: int | None = None
    with contextlib.suppress(TimeoutError):
        while (last is None or len(seen) <= last) and len(seen) < MOST_PARTS:
            async with asyncio.timeout(NEXT_PART_S):
                part = await parts.get()
            if part.request_id == REPORT_ID and part.sequence >= 0:
                seen.add(part.sequence)
                values = {**part.values, **values}
                last = part.sequence if part.is_last else last
    return values


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
