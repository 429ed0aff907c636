"""The enums of the domain as GraphQL shows them; import the domain's own classes in annotations."""

from enum import Enum, StrEnum

import strawberry

from domain import roles
from domain.errors import ErrorCode

_NAMES: dict[type[Enum], str] = {roles.SessionState: "ChargeSessionState"}

SHOWN: tuple[type[Enum], ...] = (
    roles.AlertDelivery,
    roles.AlertKind,
    roles.Language,
    roles.AlertState,
    roles.AuthenticationMode,
    roles.AuthorizationDecision,
    roles.AvailableCurrentMode,
    roles.BindingLimit,
    roles.CommandAction,
    roles.CommandState,
    roles.CostUnit,
    roles.CredentialType,
    roles.DateQuality,
    roles.EnrollmentState,
    roles.Decider,
    roles.ExportFormat,
    roles.ExportState,
    roles.ExternalMode,
    roles.FailPolicy,
    roles.ImportAction,
    roles.InstallationCategory,
    roles.IntervalQuality,
    roles.NetworkType,
    roles.OperatingMode,
    roles.Phase,
    roles.PhaseRotation,
    roles.ReportBasis,
    roles.ReportKind,
    roles.Role,
    roles.Scope,
    roles.SessionFlag,
    roles.SessionState,
    roles.Severity,
    roles.StopReason,
    roles.UsageDimension,
    roles.Weekday,
    ErrorCode,
)

for _shown in SHOWN:
    strawberry.enum(_shown, name=_NAMES.get(_shown), description=_shown.__doc__)


@strawberry.enum(description="Which way a list is ordered; nulls come last both ways.")
class OrderDirection(StrEnum):
    """Which way a list is ordered."""

    ASC = "ASC"
    DESC = "DESC"


@strawberry.enum(description="What is told of a charge session.")
class ChargeSessionEventKind(StrEnum):
    """What is told of a charge session."""

    SNAPSHOT = "SNAPSHOT"
    READY = "READY"
    STARTED = "STARTED"
    UPDATED = "UPDATED"
    ENDED = "ENDED"
    REPLACED = "REPLACED"
    REMOVED = "REMOVED"
    HEARTBEAT = "HEARTBEAT"


@strawberry.enum(description="What a live event tells.")
class LiveEventKind(StrEnum):
    """What a live event tells."""

    SNAPSHOT = "SNAPSHOT"
    READY = "READY"
    CHANGED = "CHANGED"
    REMOVED = "REMOVED"
    HEARTBEAT = "HEARTBEAT"
