"""How e-mail leaves: to one SMTP server that the operator names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib

from app.settings import OperatorError, Settings
from domain.clock import Clock
from domain.errors import DomainError, UnavailableError
from domain.ports import Mail, Mailer, MailServerAwayError

_TIMEOUT_S = 20.0
_DATA_TIMEOUT_S = 300.0
"""A server that looks for viruses answers late; who does not wait sends the mail twice (RFC 5321 §4.5.3.2.6)."""
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_FAREWELL_S = 2.0
_RETRY_AFTER_S = 60
_FLAT = policy.SMTP.clone(max_line_length=900)
"""RFC 5322 §2.1.1 allows 998 characters: a folded List-Unsubscribe is understood by few."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over. `starttls` None: when the server offers it."""

    hostname: str
    port: int
    use_tls: bool
    starttls: bool | None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def smtp_server(url: str) -> SmtpServer:
    """The server of an URL smtp://, smtp+starttls:// or smtps://user:password@host:port. OperatorError when it is none."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise OperatorError(
            "LADE_SMTP_URL has no usable scheme or port: write smtp://user:password@host:587."
        ) from error
    if not parts.hostname:
        raise OperatorError("LADE_SMTP_URL names no host: write smtp://user:password@host:587.")
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    tls = parts.scheme == "smtps"
    # A password never crosses a network in the clear: with one, the connection is encrypted or there is none.
    required = parts.scheme == "smtp+starttls" or (password is not None and parts.hostname not in _LOOPBACK)
    starttls = False if tls else True if required else None
    return SmtpServer(parts.hostname, port, tls, starttls, username, password)


def mailer_of(settings: Settings, *, clock: Clock) -> Mailer:
    """Mail to the server of the settings; without one, a mailer that leaves everything in the outbox and says why."""
    if settings.smtp_url is None:
        return AbsentMailer()
    sender = settings.mail_from or f"Lade <lade@{urlsplit(settings.public_url).hostname or 'localhost'}>"
    return SmtpMailer(smtp_server(settings.smtp_url), sender=sender, clock=clock)


class AbsentMailer:
    """No server was named: mail waits in the outbox until one is."""

    async def send(self, mail: Mail) -> None:  # noqa: ARG002  the port's signature
        """Always MailServerAwayError."""
        raise MailServerAwayError(
            "Mail waits in the outbox: set LADE_SMTP_URL to the server that takes it.", retry_after_s=300
        )

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Mailer]:
        """The same."""
        yield self


class SmtpMailer:
    """Mailer of domain.ports: one connection a batch, and nothing is held open between them."""

    def __init__(self, server: SmtpServer, *, sender: str, clock: Clock, timeout_s: float = _TIMEOUT_S) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock
        self._timeout_s = timeout_s
        self.data_timeout_s = max(timeout_s, _DATA_TIMEOUT_S)

    async def send(self, mail: Mail) -> None:
        """The server has taken the mail. UnavailableError when it may be tried again, DomainError when it never will."""
        async with self.batch() as mailer:
            await mailer.send(mail)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Mailer]:
        """Inside: all go over one connection, which is made with the first and again when it broke."""
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.hostname,
            port=server.port,
            use_tls=server.use_tls,
            start_tls=server.starttls,
            username=server.username,
            password=server.password,
            timeout=self._timeout_s,
        )
        try:
            yield _Conversation(client, self)
        finally:
            await _ended(client)

    def message_of(self, mail: Mail) -> EmailMessage:
        """The mail as it travels. DomainError when a header of it could not."""
        message = EmailMessage()
        try:
            message["From"] = self._sender
            message["To"] = mail.to
            # A name in a subject may hold a line break; a header may not.
            message["Subject"] = " ".join(mail.subject.split())
            message["Date"] = format_datetime(self._clock.now())
            message["Message-ID"] = mail.message_id
            message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no holiday replies, please
            for name, value in mail.headers:
                message[name] = value
        except (ValueError, IndexError) as error:
            raise DomainError("The mail has an address or a header that no server would take.") from error
        # Any server takes it so: not each has 8BITMIME (RFC 6152).
        message.set_content(mail.text, cte="quoted-printable")
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
        for one in mail.attachments:
            kind, _, subtype = one.media_type.partition(";")[0].partition("/")
            message.add_attachment(one.content, maintype=kind, subtype=subtype, filename=one.name)
        return message

    def written(self, mail: Mail) -> tuple[str, bool, bytes]:
        """(the sender's address, whether both addresses are ASCII, the mail as it travels); errors as `message_of`."""
        message = self.message_of(mail)
        sender: str = message["From"].addresses[0].addr_spec
        is_ascii = f"{mail.to}{sender}".isascii()
        return sender, is_ascii, message.as_bytes(policy=_FLAT if is_ascii else _FLAT.clone(utf8=True))


class _Conversation:
    """The mailer of one batch."""

    def __init__(self, client: aiosmtplib.SMTP, mailer: SmtpMailer) -> None:
        self._client = client
        self._mailer = mailer

    async def send(self, mail: Mail) -> None:
        """As SmtpMailer's."""
        # An attachment of some megabytes takes a fifth of a second to be written as text.
        sender, is_ascii, content = await asyncio.to_thread(self._mailer.written, mail)
        try:
            if not self._client.is_connected:
                await self._client.connect()
            await self._client.sendmail(
                sender,
                [mail.to],
                content,
                mail_options=() if is_ascii else ("SMTPUTF8",),
                timeout=self._mailer.data_timeout_s,
            )
        except ValueError as error:
            raise DomainError("The mail has an address that no server would take.") from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0]) from error
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused) as error:
            raise _refused(error) from error
        except aiosmtplib.SMTPNotSupported as error:
            if is_ascii or not self._client.is_connected:
                raise MailServerAwayError(
                    f"The mail server cannot do what is asked: {error}", retry_after_s=_RETRY_AFTER_S
                ) from error
            raise DomainError("The mail server takes no address with letters like these (no SMTPUTF8).") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # Whether it has the mail cannot be known where it broke off after the last line: then the same goes out again.
            await _ended(self._client)
            raise MailServerAwayError(
                f"The mail server did not take the mail ({type(error).__name__}). It is tried again later.",
                retry_after_s=_RETRY_AFTER_S,
            ) from error

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Mailer]:
        """The same."""
        yield self


async def _ended(client: aiosmtplib.SMTP) -> None:
    """The connection is closed, politely where that is possible at once."""
    if client.is_connected:
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=_FAREWELL_S)
    client.close()


def _refused(error: aiosmtplib.SMTPResponseException) -> DomainError:
    """5yz is for good, everything else passes (RFC 5321 §4.2.1)."""
    if 500 <= error.code < 600:
        return DomainError(f"The mail server refuses this mail for good ({error.code}).")
    return UnavailableError(f"The mail server asks for patience ({error.code}).", retry_after_s=_RETRY_AFTER_S)
