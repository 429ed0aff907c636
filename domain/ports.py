"""What the domain needs from outside: small interfaces, implemented in devices and app, faked in tests under the same contract test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from domain.errors import UnavailableError
from domain.events import Event, Heard, Kept, Place


class EventBus(Protocol):
    """Facts to whoever listens, in this process or another; at most once, nothing is kept for the absent."""

    async def publish(self, *events: Event) -> None:
        """Every present subscriber of the events' channels gets them in this order. Never raises: the row is the truth."""
        ...

    async def send(self, channel: str, message: bytes) -> int:
        """Raw bytes to a channel; how many processes heard them. UnavailableError when the bus is away."""
        ...

    def subscribe(self, channel: str, *, limit: int = 1024) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Inside: messages of that channel since entering. At most `limit` wait; beyond that the oldest is dropped."""
        ...


class EventLog(Protocol):
    """What was published to channels that are kept (`events.is_kept`): in order, each with its number, for ten minutes."""

    def follow(self, channel: str, *, limit: int = 1024) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        """As EventBus.subscribe, with the place of each message, and word when messages may have been missed."""
        ...

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        """Where the channel is, and what came after that place. UnavailableError when the bus is away."""
        ...


@dataclass(frozen=True, slots=True)
class StartCharging:
    """Ask the charger to begin a session for this token (1.6 RemoteStartTransaction)."""

    id_token: str


@dataclass(frozen=True, slots=True)
class StopCharging:
    """Ask the charger to end the session known to it by this id (1.6 RemoteStopTransaction)."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Reset the station, ending sessions in an orderly way (Soft, OCPP 1.6 §5.14)."""


@dataclass(frozen=True, slots=True)
class Unlock:
    """Release the connector's lock."""


@dataclass(frozen=True, slots=True)
class SetAvailability:
    """Take the connector into service, or out of it once the charge that goes on there is over (ChangeAvailability)."""

    is_operative: bool


@dataclass(frozen=True, slots=True)
class UpdateFirmware:
    """Fetch new firmware from there, not before that instant, and install it."""

    url: str
    retrieve_at: datetime


@dataclass(frozen=True, slots=True)
class SendDiagnostics:
    """Upload what the station has logged to there."""

    url: str


@dataclass(frozen=True, slots=True)
class OfferStep:
    """From `after_s` seconds on, at most `current_a` on each of `phases` conductors (None: as the charger is wired).

    With one phase `phase_to_use` says on which of the charger's own terminals, 1 to 3; None: which it likes.
    """

    after_s: int
    current_a: float
    phases: int | None = None
    phase_to_use: int | None = None


@dataclass(frozen=True, slots=True)
class OfferCurrent:
    """Cap the charger's current by a schedule that starts when it is received (SetChargingProfile).

    `transaction_id` set: for that session (TxProfile). None: for sessions to come (TxDefaultProfile). `lease` and `fence` say
    by whose right: after an offer under a higher fence of the same lease, one under a lower is not sent.
    """

    steps: tuple[OfferStep, ...]
    transaction_id: str | None
    lease: str = ""
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Trigger:
    """Ask for a message now: `BootNotification`, `StatusNotification`, `MeterValues`, `Heartbeat`."""

    message: str


DeviceCommand = (
    StartCharging
    | StopCharging
    | Restart
    | Unlock
    | SetAvailability
    | OfferCurrent
    | Trigger
    | UpdateFirmware
    | SendDiagnostics
)


class DeviceVerdict(StrEnum):
    """What became of a command on the wire; ACCEPTED is the charger's word, not the effect."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """The charger's answer, with its own word for it in `detail`."""

    verdict: DeviceVerdict
    detail: str | None = None


class ChargerCommands(Protocol):
    """Commands to a charger, wherever its socket is."""

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        """The charger's answer, or why there is none; never raises for trouble on the wire, never later than `timeout_s`."""
        ...


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail, to one address. `message_id` is in angle brackets (RFC 5322 §3.6.4), the same at every attempt.

    `html` says the same as `text`, for those who read it so; `headers` are further ones, e.g. List-Unsubscribe. `subscription_id` and
    `notice_ids`: of whose wish and of what a mail about alerts tells, which may be over when it can go out at last.
    """

    to: str
    subject: str
    text: str
    message_id: str
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    subscription_id: UUID | None = None
    notice_ids: tuple[UUID, ...] = ()


class MailServerAwayError(UnavailableError):
    """The server cannot be talked to at all: it is no use to try other mails now."""


class Mailer(Protocol):
    """Puts mails into the hands of an SMTP server."""

    async def send(self, mail: Mail) -> None:
        """The server has taken the mail. UnavailableError when it may be tried again (MailServerAwayError: as any other), DomainError
        when it never will.
        """
        ...

    def batch(self) -> "AbstractAsyncContextManager[Mailer]":
        """Inside: one that sends all mails over one connection, which is made with the first."""
        ...


class CallOuts(Protocol):
    """Signed requests to systems of other companies (Standard Webhooks)."""

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        """The body of a 2xx answer. UnavailableError with the reason for everything else, at the latest after `timeout_s`.

        `secrets` (`whsec_…`) each make a signature; `event_id` is the same at every attempt.
        """
        ...

    async def check(self, url: str) -> None:
        """Returns when the URL may be called. ValidationError (ADDRESS_REFUSED) when it is none, or leads where calls may not go."""
        ...


@dataclass(frozen=True, slots=True)
class Grip:
    """A lease that is held; `fence` rises with every new holder, so that an older holder's writes can be refused."""

    name: str
    fence: int
    until: datetime


class Attempt:
    """One try to prove who somebody is. Until `is_right` is set it counts as a wrong one."""

    __slots__ = ("is_right",)

    def __init__(self) -> None:
        self.is_right = False


class Attempts(Protocol):
    """Bounds how often somebody may be wrong, from one network address and at one account, over all processes."""

    def one(self, *, address: str, account: str | None) -> AbstractAsyncContextManager[Attempt]:
        """Inside: the try. RateLimitedError, before anything else is done, when there were too many wrong ones."""
        ...


@dataclass(frozen=True, slots=True)
class OpenIdIdentity:
    """Who a provider says somebody is; `issuer` and `subject` together never change."""

    issuer: str
    subject: str
    email: str | None = None
    is_email_verified: bool = False
    is_by_several_proofs: bool = False
    """Whether the provider says that it asked for more than one proof (RFC 8176: `mfa`)."""
    name: str | None = None


class OpenIdProvider(Protocol):
    """An outside OpenID Connect provider whose ID tokens are believed."""

    async def verified(self, id_token: str, *, nonce: str | None, now: datetime) -> OpenIdIdentity:
        """Who the token is about. ValidationError (WRONG_CREDENTIALS) when it is not one of the provider's for us and now;
        UnavailableError when the provider's keys cannot be had.
        """
        ...


class Passwords(Protocol):
    """Slow hashing of people's passwords, off the event loop."""

    async def hash(self, password: str) -> str:
        """A salted argon2id hash."""
        ...

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether it is that password; takes as long when `stored` is None, so that absence cannot be timed."""
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a person's programs show with every request, until it expires."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says: who, by which sign-in. Not that the sign-in still stands or the account is active."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpaqueToken:
    """A secret to hand out once (refresh, invitation, reset); only `digest` is kept."""

    token: str
    digest: str


class Sealer(Protocol):
    """Keeps secrets that must be read again, such as those that sign, unreadable to whoever only has the database."""

    def seal(self, text: str) -> str:
        """The text, sealed: at most 100 characters of it become at most 255."""
        ...

    def open(self, sealed: str) -> str:
        """The text again. UnavailableError when it was sealed under another key of the server."""
        ...


class Tokens(Protocol):
    """Makes and recognises the tokens of people's programs."""

    def issue(self, user_id: UUID, session_id: UUID, *, now: datetime) -> AccessToken:
        """A short-lived access token."""
        ...

    def verify(self, token: str, *, now: datetime) -> AccessClaims:
        """What the token says. UnauthenticatedError when it is not ours, is damaged or has expired (code TOKEN_EXPIRED)."""
        ...

    def opaque(self) -> OpaqueToken:
        """A new secret that nobody can guess, with its digest."""
        ...

    def digest(self, token: str) -> str:
        """The digest under which such a secret is kept."""
        ...

    def keyed(self, purpose: str, content: bytes) -> str:
        """A digest of anything, also of what could be guessed: nobody makes or tries it without the server's secret key."""
        ...
