"""The tables, one file a noun. Only the domain and the shapes of gql know them.

No semicolon in a docstring of a model: migrations make table comments of them, and SQLite's editor splits there.
"""

from domain.models.alerts import Alert, AlertNotice, AlertSubscription
from domain.models.audit import AuditEntry, IdempotencyKey
from domain.models.authorization import (
    AuthorizationAttempt,
    AuthorizationRequest,
    ExternalAuthentication,
    LocalList,
    SessionEvent,
)
from domain.models.balancing import BalancingDecision, HeldSpan, Offer
from domain.models.cards import CardBlock, CardEnrollment, ChargeCard
from domain.models.chargers import Charger, ChargerKind, ChargerStatus, Station, UnknownCharger
from domain.models.commands import Command
from domain.models.exports import Export
from domain.models.groups import GroupMember, UserGroup
from domain.models.installations import Circuit, Installation
from domain.models.leases import Lease
from domain.models.ocpp_messages import OcppMessage
from domain.models.outbox import OutboxMessage
from domain.models.people import MailedSecret, OpenIdLink, RecoveryCode, SignIn, User
from domain.models.permissions import Permission
from domain.models.reports import LockedLine, LockedName, LockedReport, ReportDelivery, ReportSchedule
from domain.models.service_accounts import ApiToken, ExternalUser, ServiceAccount, ServiceAccountInstallation
from domain.models.sessions import ChargeSession, EnergyInterval, Sample
from domain.models.signatures import MeterKey, SignedRecord
from domain.models.tariffs import PastGroupMember, Tariff, TariffAssignment, TariffPrice

__all__ = [
    "Alert",
    "AlertNotice",
    "AlertSubscription",
    "ApiToken",
    "AuditEntry",
    "AuthorizationAttempt",
    "AuthorizationRequest",
    "BalancingDecision",
    "CardBlock",
    "CardEnrollment",
    "ChargeCard",
    "ChargeSession",
    "Charger",
    "ChargerKind",
    "ChargerStatus",
    "Circuit",
    "Command",
    "EnergyInterval",
    "Export",
    "ExternalAuthentication",
    "ExternalUser",
    "GroupMember",
    "HeldSpan",
    "IdempotencyKey",
    "Installation",
    "Lease",
    "LocalList",
    "LockedLine",
    "LockedName",
    "LockedReport",
    "MailedSecret",
    "MeterKey",
    "OcppMessage",
    "Offer",
    "OpenIdLink",
    "OutboxMessage",
    "PastGroupMember",
    "Permission",
    "RecoveryCode",
    "ReportDelivery",
    "ReportSchedule",
    "Sample",
    "ServiceAccount",
    "ServiceAccountInstallation",
    "SessionEvent",
    "SignIn",
    "SignedRecord",
    "Station",
    "Tariff",
    "TariffAssignment",
    "TariffPrice",
    "UnknownCharger",
    "User",
    "UserGroup",
]
