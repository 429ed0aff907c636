"""The command line `lade`: every command in one table, and what becomes of expected trouble."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import click

from app.logs import configure_logs
from app.settings import OperatorError, log_settings
from domain.errors import DomainError, ValidationError


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a command is, and the line that tells of it."""

    module: str
    line: str


COMMANDS: Final[Mapping[str, _Entry]] = {
    "demo": _Entry("app.commands_demo", "Show a garage of 24 chargers, live."),
    "serve": _Entry("app.commands_serve", "Serve people, chargers, the balancer and the jobs."),
    "migrate": _Entry("app.commands_migrate", "Bring the database's tables to this version."),
    "create-admin": _Entry("app.commands_admin", "Make an account for an administrator."),
    "import-sessions": _Entry("app.commands_import", "Import historical charge sessions from a CSV file."),
    "import-prices": _Entry("app.commands_prices", "Import the prices of a kWh over time from a CSV file."),
    "simulate": _Entry("app.commands_simulate", "Connect simulated chargers and cars to an OCPP server."),
    "balance": _Entry("app.commands_balance", "Print the balancer's decision for a site in a file."),
    "schema": _Entry("app.commands_schema", "Print the GraphQL schema (SDL), with every description."),
}
"""In the order in which somebody new needs them. One is read in when it is called: all of them take seconds."""


class _CannotRunError(click.ClickException):
    """The program cannot run as it is set up."""

    exit_code = 2


class _Commands(click.Group):
    """The commands of the table; expected trouble is one clear message and an exit status, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """As in the table."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Read in now."""
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(COMMANDS[cmd_name].module), f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(found, click.Command)  # noqa: S101  for the type checker
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Without reading them in."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, with OperatorError (status 2) and DomainError (status 1) told in words."""
        try:
            return super().invoke(ctx)
        except OperatorError as error:
            raise _CannotRunError(str(error)) from error
        except ValidationError as error:
            raise click.ClickException("\n".join(problem.message for problem in error.problems)) from error
        except DomainError as error:
            raise click.ClickException(error.message) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lade", message="%(prog)s %(version)s")
def main() -> None:
    """The open portal for EV charging: chargers connect over OCPP, the current is shared, sessions are recorded and reported.

    `lade serve` needs nothing: rows are kept in SQLite and events go through an embedded Valkey, both in one folder.
    `lade create-admin` makes the first account. The environment changes what it must:

    \b
      LADE_DATA_DIR      the folder for rows, files and the secret key   (.lade)
      LADE_DATABASE_URL  postgresql://user:password@host/database        (SQLite in the folder)
      LADE_REDIS_URL     redis://host:6379/0                             (embedded Valkey)
      LADE_SMTP_URL      smtp://user:password@host:587                   (mail waits)
      LADE_MAIL_FROM     who e-mails come from                           (lade@ the public host)
      LADE_PUBLIC_URL    how people reach this server                    (http://127.0.0.1:8080)
      LADE_SECRET_KEY    signs sign-ins; the same on every host          (made once, in the folder)
      LADE_TRUSTED_PROXIES  reverse proxies on other hosts, as 10.0.0.5,fd00::/64  (this host)
      LADE_HOST, LADE_PORT, LADE_LOG_FORMAT (auto, console, json), LADE_LOG_LEVEL,
      LADE_METER_INTERVAL_S, LADE_OFFLINE_AFTER_S, LADE_OPEN_INSTALLATIONS: docs/operations.md
    """  # noqa: D301  click keeps the lines after a backspace as they are
    configure_logs(*log_settings())
