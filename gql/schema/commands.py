"""Commands to chargers."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.identity.people import PersonKey
from domain.roles import CommandAction, CommandState
from domain.sessions import sessions_by_ids
from domain.views.charger_views import chargers_by_ids
from domain.views.command_views import CommandRow, commands_by_ids
from gql import ids
from gql.resolvers import commands as resolvers
from gql.schema.errors import (
    ChargerOfflineError,
    ChargerStateError,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    ValidationError,
)
from gql.schema.fields import related
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.sessions import ChargeSession


@strawberry.type(
    description="What somebody asked of a charger. ACCEPTED is the charger's word, CONFIRMED its effect. Final from REJECTED, TIMEOUT, "
    "ERROR, OFFLINE, CONFIRMED, UNCONFIRMED on, at the latest at the deadline. Seen by who asked, and who controls the charger."
)
class Command(Node):
    """Read from CommandRow."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = related(
        chargers_by_ids,
        lambda row: row.charger_id,
        description="Null when it is hidden by now.",
    )
    action: CommandAction
    state: CommandState
    is_final: bool
    session: Annotated["ChargeSession", strawberry.lazy("gql.schema.sessions")] | None = related(
        sessions_by_ids,
        lambda row: row.session_id,
        description="That was started, paused, resumed or stopped; null where the viewer may not see it.",
    )
    requested_at: datetime
    deadline: datetime
    finished_at: datetime | None = strawberry.field(description="Null until the outcome is known.")
    detail: str | None = strawberry.field(description="The charger's own word for it, or why nothing came of it.")


@strawberry.input(
    one_of=True,
    description="One person, by id, e-mail address or the external id by which the asking service account knows them; one whom the "
    "viewer may not know of is NotFoundError.",
)
class PersonInput:
    """Becomes a PersonKey."""

    user_id: strawberry.ID | None = strawberry.UNSET
    email: str | None = strawberry.UNSET
    external_user_id: str | None = strawberry.UNSET

    def to_domain(self) -> PersonKey:
        """The same as the domain knows it."""
        return PersonKey(
            user_id=ids.optional_uuid_of(self.user_id or None, "User", at="person"),
            email=self.email or None,
            external_id=self.external_user_id or None,
        )


@strawberry.input(
    description="Null person = the viewer; another: OWNER there. Dropped, not sent, after deadlineSeconds (5 to 600)."
)
class StartChargingInput:
    """A charge for somebody."""

    charger_id: strawberry.ID
    person: PersonInput | None = strawberry.UNSET
    energy_target_kwh: Decimal | None = strawberry.UNSET
    departure_at: datetime | None = strawberry.UNSET
    deadline_seconds: int = 60
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="With sessionId: refused (OTHER_SESSION) when that is not the one active there, so that a late retry never stops "
    "another's car. Dropped, not sent, after deadlineSeconds (5 to 600)."
)
class ChargerCommandInput:
    """A charger, and the session that is meant."""

    charger_id: strawberry.ID
    session_id: strawberry.ID | None = strawberry.UNSET
    deadline_seconds: int = 60
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="Where the station fetches it, by https, http, ftps, sftp or ftp; null retrieveAt = now, else within 30 days."
)
class UpdateFirmwareInput:
    """A charger, and its station's new firmware."""

    charger_id: strawberry.ID
    url: str
    retrieve_at: datetime | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Where the station uploads its log, by https, http, ftps, sftp or ftp.")
class RequestDiagnosticsInput:
    """A charger, and an address that takes its station's log."""

    charger_id: strawberry.ID
    url: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="On its way: read the command again, or follow it, for what comes of it.")
class CommandSuccess:
    """Read anew."""

    command: Command


CommandResult = Annotated[
    CommandSuccess
    | ValidationError
    | NotFoundError
    | NotAllowedError
    | ConflictError
    | ChargerOfflineError
    | ChargerStateError,
    strawberry.union(
        "CommandResult", description="ChargerOfflineError: known to be off when asked, nothing was queued."
    ),
]
_COMMAND = Thing(CommandSuccess, "command", "Command")
_CONTROLLERS = "For OWNER of the charger or the installation, SERVICE and ADMINISTRATOR"


@strawberry.type
class CommandMutations:
    """What may be asked of chargers."""

    start_charging = mutation(
        resolvers.start_charging,
        StartChargingInput,
        CommandResult,
        _COMMAND,
        description="Asks the charger to begin a charge for the viewer, or for another person. For USER and OWNER there.",
    )
    pause_charging = mutation(
        resolvers.pause_charging,
        ChargerCommandInput,
        CommandResult,
        _COMMAND,
        description=f"Holds the charge that goes on until it is resumed; the car stays connected. {_CONTROLLERS}, and its driver.",
    )
    resume_charging = mutation(
        resolvers.resume_charging,
        ChargerCommandInput,
        CommandResult,
        _COMMAND,
        description=f"Lets a paused charge go on; it may have to wait for its turn. {_CONTROLLERS}, and its driver.",
    )
    stop_charging = mutation(
        resolvers.stop_charging,
        ChargerCommandInput,
        CommandResult,
        _COMMAND,
        description=f"Ends the charge that goes on. {_CONTROLLERS}, and its driver.",
    )
    restart_charger = mutation(
        resolvers.restart_charger,
        ChargerCommandInput,
        CommandResult,
        _COMMAND,
        description=f"Restarts the station, ending its charges in an orderly way. {_CONTROLLERS}.",
    )
    unlock_connector = mutation(
        resolvers.unlock_connector,
        ChargerCommandInput,
        CommandResult,
        _COMMAND,
        description=f"Releases a plug that is stuck. {_CONTROLLERS}.",
    )
    update_firmware = mutation(
        resolvers.update_firmware,
        UpdateFirmwareInput,
        CommandResult,
        _COMMAND,
        description="Lets the station fetch and install firmware; the command's detail tells how far it is. For SERVICE and ADMINISTRATOR.",
    )
    request_diagnostics = mutation(
        resolvers.request_diagnostics,
        RequestDiagnosticsInput,
        CommandResult,
        _COMMAND,
        description="Lets the station upload what it has logged. For SERVICE and ADMINISTRATOR.",
    )


NODES = (NodeKind(Command, CommandRow, commands_by_ids),)
