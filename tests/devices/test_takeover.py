"""Two processes and chargers that move between them: who speaks for a charger is one of them, at every moment."""

from app.database import Database
from app.redis_bus import RedisBus
from bench.fleet import Login
from bench.takeover import taken_over
from domain.models import Station
from tests.devices.server import a_registered_charger, a_server
from tests.factories import a_site


async def test_no_command_goes_over_a_connection_that_was_overtaken(
    database: Database, bus: RedisBus, redis_url: str
) -> None:
    """Whichever process is asked: no command comes over an older connection once a newer one stands, each comes once the charger has
    booted, and the process that was left closes its end.
    """
    site = await a_site()
    async with RedisBus(redis_url) as other_bus, a_server(bus) as one, a_server(other_bus, process="p2") as two:
        chargers = [await a_registered_charger(site) for _ in range(3)]
        logins = [Login(charger.identity, charger.password) for charger in chargers]
        urls = [server.url("").rstrip("/") for server in (one, two)]
        found = await taken_over(logins, urls, 8, [one.service.commands, two.service.commands])
    assert (found.takeovers, found.commands) == (21, 72)
    assert (found.stale, found.unreached, found.left_open) == (0, 0, 0)
    assert await Station.filter(is_connected=True).count() == 0
