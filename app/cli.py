"""The command line `lade`: every command in one table, and what becomes of expected trouble."""

from typing import Any

import click

from app.commands_admin import create_admin_command
from app.commands_balance import balance_command
from app.commands_demo import demo_command
from app.commands_import import import_sessions_command
from app.commands_prices import import_prices_command
from app.commands_schema import schema_command
from app.commands_serve import migrate_command, serve_command
from app.commands_simulate import simulate_command
from app.logs import configure_logs
from app.settings import OperatorError, log_settings
from domain.errors import DomainError, ValidationError

COMMANDS: tuple[click.Command, ...] = (
    demo_command,
    serve_command,
    migrate_command,
    create_admin_command,
    import_sessions_command,
    import_prices_command,
    simulate_command,
    balance_command,
    schema_command,
)


class _CannotRunError(click.ClickException):
    """The program cannot run as it is set up."""

    exit_code = 2


class _Commands(click.Group):
    """Commands in the order of the table; expected trouble is one clear message and an exit status, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The order in which somebody new needs them."""
        return [command.name or "" for command in COMMANDS if command.name in self.commands]

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


for command in COMMANDS:
    main.add_command(command)
