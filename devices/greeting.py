"""What a charger is asked after it connected: to send its readings as often as we want them, and to say how its connectors are."""

import asyncio

from devices.link import Link, Settings

BOOT_EXPECTED_S = 2.0
"""A charger that has just started says so first; one that only reconnected does not, and is asked at once."""
ANSWER_TIMEOUT_S = 60.0


async def greet(link: Link, settings: Settings) -> None:
    """After a boot the charger is configured (it tells its statuses on its own, OCPP 1.6 §4.2); after a mere reconnect it is asked."""
    try:
        async with asyncio.timeout(BOOT_EXPECTED_S):
            await link.booted.wait()
    except TimeoutError:
        for evse in sorted(link.chargers):
            for outgoing in link.adapter.questions(evse=evse):
                await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
        await link.booted.wait()
    while True:
        link.booted.clear()
        for outgoing in link.adapter.settings(meter_interval_s=settings.meter_interval_s):
            await link.call(outgoing, timeout_s=ANSWER_TIMEOUT_S)
        await link.booted.wait()
