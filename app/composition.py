"""Which routes and services each role has: the one place where the rooms are put together."""

from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from app.health import health_routes
from app.house import House
from app.jobs import deliver_mails, keep_house
from app.settings import ServerRole
from app.supervisor import Service


@dataclass(slots=True)
class Composition:
    """What a process serves (the first route that matches answers) and what it keeps running (by name, in this order)."""

    routes: list[BaseRoute] = field(default_factory=list)
    services: list[tuple[str, Service]] = field(default_factory=list)


def compose(house: House) -> Composition:
    """The routes and services of the house's roles; nothing of it runs yet."""
    whole = Composition()
    whole.routes += health_routes(house)
    if ServerRole.JOBS in house.roles:
        whole.services.append(("mail", lambda: deliver_mails(house.mailer, house.clock)))
        whole.services.append(("housekeeping", lambda: keep_house(house.clock)))
    return whole
