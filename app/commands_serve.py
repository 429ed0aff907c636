"""`lade serve`."""

import click

from app.event_loop import run
from app.serve import Running, listen, serve_until_told
from app.settings import ALL_ROLES, OperatorError, ServerRole, load_settings
from balancing.allocate import load_machine_code


class _Roles(click.ParamType[frozenset[ServerRole]]):
    """Roles with commas between them."""

    name = "roles"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[ServerRole]:
        """The set of roles; refused with the list of those that exist."""
        if isinstance(value, frozenset):
            return value
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        unknown = [name for name in names if name not in set(ServerRole)]
        if unknown or not names:
            self.fail(f"{', '.join(unknown) or 'nothing'} is no role; choose from {', '.join(ServerRole)}", param, ctx)
        return frozenset(map(ServerRole, names))


@click.command("serve")
@click.option("--host", help="Address to listen on; 0.0.0.0 for every network.  [LADE_HOST, else 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [LADE_PORT, else 8080]"
)
@click.option(
    "--roles",
    type=_Roles(),
    default=ALL_ROLES,
    help="What this process does: api, devices, balancer, jobs, with commas between.  [all of them]",
)
def serve_command(host: str | None, port: int | None, roles: frozenset[ServerRole]) -> None:
    """Serve the portal: people's API, chargers' sockets, the balancer and the jobs.

    One process does everything and needs nothing. For several processes or hosts give each its --roles and all of them
    the same LADE_DATABASE_URL, LADE_REDIS_URL and LADE_SECRET_KEY. SIGTERM or Ctrl-C ends it in an orderly way.
    """
    settings = load_settings(host=host, port=port)
    if roles != ALL_ROLES and settings.redis_url is None:
        raise OperatorError(
            "A process with some of the roles shares its work with others, and nothing leads from them to its embedded Valkey: "
            "set LADE_REDIS_URL and LADE_DATABASE_URL to servers that all of them reach, or leave out --roles."
        )
    if ServerRole.BALANCER in roles:
        # Before the first charger can come: loading takes most of a second, and a car does not wait for its limit.
        load_machine_code()
    listening = listen(settings.host, settings.port)
    run(serve_until_told(settings, roles, listening, announce=_announce))


def _announce(running: Running) -> None:
    roles = ", ".join(role for role in ServerRole if role in running.house.roles)
    click.echo(f"Lade serves at {running.url} ({roles})", err=True)
