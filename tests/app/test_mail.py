"""Mail reaches a real SMTP server, or the outbox learns whether to try again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.mail import AbsentMailer, SmtpMailer, SmtpServer, mailer_of, smtp_server
from app.settings import OperatorError, Settings
from domain.clock import SystemClock
from domain.errors import DomainError, UnavailableError
from domain.ports import Mail, Mailer, MailServerAwayError
from tests.servers import free_port

MAIL = Mail("ola@example.org", "Charger 7 is silent", "Plass 7 has been silent for ten minutes.\n", "<1@lade.example>")


class Post:
    """Takes mail, or answers as it was told to."""

    def __init__(self, *, rcpt: str = "250 OK", data: str = "250 OK") -> None:
        self.received: list[EmailMessage] = []
        self.signed_in: list[str] = []
        self.sessions: set[int] = set()
        self.rcpt = rcpt
        self.data = data

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        self.sessions.add(id(session))
        envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        self.received.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default))
        return self.data

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, who: object
    ) -> AuthResult:
        assert isinstance(who, LoginPassword)
        self.signed_in.append(f"{who.login.decode()}:{who.password.decode()}")
        return AuthResult(success=who.password == b"p@ss", handled=False)


@contextmanager
def serving(post: Post, *, in_the_clear: bool = False, utf8: bool = True) -> Iterator[int]:
    controller = Controller(
        post,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=post.authenticate,
        auth_require_tls=not in_the_clear,
        enable_SMTPUTF8=utf8,
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mailer(url: str, *, mail_from: str | None = None) -> Mailer:
    public_url = "https://lade.example"
    settings = Settings(
        data_dir=Path("/"), secret_key="k" * 32, smtp_url=url, mail_from=mail_from, public_url=public_url
    )
    return mailer_of(settings, clock=SystemClock())


async def test_a_mail_arrives_as_it_was_written() -> None:
    """Address, subject, text and message id arrive; the sender follows from the public URL."""
    post = Post()
    with serving(post) as port:
        await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
    (message,) = post.received
    assert {name: str(message[name]) for name in ("To", "Subject", "Message-ID", "From", "Auto-Submitted")} == {
        "To": "ola@example.org",
        "Subject": "Charger 7 is silent",
        "Message-ID": "<1@lade.example>",
        "From": "Lade <lade@lade.example>",
        "Auto-Submitted": "auto-generated",
    }
    assert message.get_content().replace("\r\n", "\n") == MAIL.text


async def test_a_mail_in_two_forms_arrives_as_alternatives_with_its_headers() -> None:
    """Plain first, HTML last (RFC 2046 §5.1.4); a long header is not folded, as many programs read it line by line."""
    post = Post()
    link = f"<https://lade.example/mails/{'x' * 200}>"
    headers = (("List-Unsubscribe", link), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    with serving(post) as port:
        await mailer(f"smtp://127.0.0.1:{port}").send(replace(MAIL, html="<p>Bjørkås</p>\n", headers=headers))
    (message,) = post.received
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().replace("\r\n", "\n") for part in message.iter_parts()] == [
        MAIL.text,
        "<p>Bjørkås</p>\n",
    ]
    assert (str(message["List-Unsubscribe"]), str(message["List-Unsubscribe-Post"])) == (link, headers[1][1])


async def test_a_header_with_a_line_break_never_leaves() -> None:
    """Whoever can name a thing cannot write headers."""
    with pytest.raises(DomainError, match="no server would take"):
        await mailer("smtp://127.0.0.1:9").send(replace(MAIL, headers=(("List-Id", "a\r\nBcc: b@example.org"),)))


async def test_a_batch_goes_over_one_connection() -> None:
    """Also where one of the mails is refused: the next goes on over the same."""
    post = Post()
    with serving(post) as port:
        async with mailer(f"smtp://127.0.0.1:{port}").batch() as batch:
            await batch.send(MAIL)
            post.rcpt = "450 greylisted"
            with pytest.raises(UnavailableError) as caught:
                await batch.send(MAIL)
            assert not isinstance(caught.value, MailServerAwayError)
            post.rcpt = "250 OK"
            await batch.send(MAIL)
    assert (len(post.received), len(post.sessions)) == (2, 1)


async def test_a_server_that_closes_in_between_is_called_again() -> None:
    """The mail that met the end waits; the next goes over a new connection."""
    post = Post(data="421 closing")
    with serving(post) as port:
        async with mailer(f"smtp://127.0.0.1:{port}").batch() as batch:
            with pytest.raises(UnavailableError):
                await batch.send(MAIL)
            post.data = "250 OK"
            await batch.send(MAIL)
    assert len(post.received) == 2


@asynccontextmanager
async def talking(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port of a server that has one conversation, which is over at the end."""
    is_over = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()
        is_over.set()

    async with await asyncio.start_server(converse, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await is_over.wait()


async def _dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes all lines of a mail and is gone before it says whether it has it."""
    writer.write(b"220 here\r\n")
    while line := await reader.readline():
        if line == b".\r\n":
            break
        verb = line[:4].upper()
        if verb in (b"EHLO", b"MAIL", b"RCPT", b"DATA"):
            writer.write(b"354 go on\r\n" if verb == b"DATA" else b"250 OK\r\n")


async def test_a_server_that_dies_after_the_last_line_is_asked_again() -> None:
    """Nobody can know whether it has the mail: it goes out again under the same id, by which its reader sees it once."""
    async with talking(_dying) as port:
        with pytest.raises(MailServerAwayError, match="tried again later"):
            await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)


async def _hanging(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """A server that says nothing."""
    await reader.read()


async def test_a_server_that_hangs_is_given_up() -> None:
    """It says nothing at all: after the timeout the mail waits, and the others with it."""
    async with talking(_hanging) as port:
        hanging = SmtpMailer(
            smtp_server(f"smtp://127.0.0.1:{port}"), sender="a@b.c", clock=SystemClock(), timeout_s=0.2
        )
        with pytest.raises(MailServerAwayError, match="tried again later"):
            await hanging.send(MAIL)


async def test_an_address_that_the_server_cannot_take_is_refused_for_good() -> None:
    """Letters beyond ASCII at a server without SMTPUTF8: the mail fails with the reason, and no other mail waits for it."""
    post = Post()
    with serving(post, utf8=False) as port:
        server = mailer(f"smtp://127.0.0.1:{port}")
        async with server.batch() as batch:
            with pytest.raises(DomainError, match="no SMTPUTF8") as refused:
                await batch.send(Mail("jürgen@example.org", "Hello", "Hello\n", "<3@x>"))
            assert not isinstance(refused.value, UnavailableError)
            await batch.send(MAIL)
    assert len(post.received) == 1


async def test_letters_of_every_language_arrive() -> None:
    """Subject and text keep what is not ASCII."""
    post = Post()
    with serving(post) as port:
        await mailer(f"smtp://127.0.0.1:{port}").send(
            Mail("a@example.org", "Lader på Bjørkås", "Strømmen er av ⚡\n", "<2@x>")
        )
    assert str(post.received[0]["Subject"]) == "Lader på Bjørkås"
    assert "Strømmen er av ⚡" in post.received[0].get_content()


async def test_the_sender_signs_in_with_what_the_url_says() -> None:
    """User and password are taken from the URL, decoded."""
    post = Post()
    with serving(post, in_the_clear=True) as port:
        await mailer(f"smtp://lade:p%40ss@127.0.0.1:{port}", mail_from="garage@example.org").send(MAIL)
    assert post.signed_in == ["lade:p@ss"]
    assert str(post.received[0]["From"]) == "garage@example.org"


async def test_a_line_break_in_a_name_makes_no_header() -> None:
    """A charger's name with a line break in it cannot add a recipient."""
    post = Post()
    with serving(post) as port:
        await mailer(f"smtp://127.0.0.1:{port}").send(
            Mail("a@example.org", "Plass\r\nBcc: b@example.org", "x\n", "<3@x>")
        )
    assert post.received[0]["Bcc"] is None
    assert str(post.received[0]["Subject"]) == "Plass Bcc: b@example.org"


@pytest.mark.parametrize("address", ["a@example.org\r\nBcc: b@example.org", "a@example.org\nx"])
async def test_an_address_with_a_line_break_never_leaves(address: str) -> None:
    """Such an address is refused for good."""
    with pytest.raises(DomainError) as caught:
        await mailer("smtp://127.0.0.1:9").send(Mail(address, "x", "x", "<4@x>"))
    assert not isinstance(caught.value, UnavailableError)


@pytest.mark.parametrize(
    ("post", "again"),
    [
        (Post(rcpt="550 no such user"), False),
        (Post(rcpt="450 greylisted"), True),
        (Post(data="554 spam"), False),
        (Post(data="451 full"), True),
    ],
    ids=["rcpt-550", "rcpt-450", "data-554", "data-451"],
)
async def test_a_refusal_says_whether_to_try_again(post: Post, again: bool) -> None:
    """5yz is for good, 4yz is for now (RFC 5321 §4.2.1)."""
    with serving(post) as port, pytest.raises(DomainError) as caught:
        await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
    assert isinstance(caught.value, UnavailableError) is again


async def test_a_wrong_password_is_tried_again_later() -> None:
    """The operator may correct it: mail is not thrown away for that."""
    post = Post()
    with serving(post, in_the_clear=True) as port, pytest.raises(UnavailableError):
        await mailer(f"smtp://lade:wrong@127.0.0.1:{port}").send(MAIL)
    assert post.received == []


async def test_a_server_that_is_away_is_tried_again_later() -> None:
    """Nobody listens: the mail waits."""
    with pytest.raises(UnavailableError, match="did not take the mail"):
        await mailer(f"smtp://127.0.0.1:{free_port()}").send(MAIL)


async def test_without_a_server_mail_waits_and_says_why() -> None:
    """Without LADE_SMTP_URL the reason names it."""
    absent = mailer_of(Settings(data_dir=Path("/"), secret_key="k" * 32), clock=SystemClock())
    assert isinstance(absent, AbsentMailer)
    with pytest.raises(UnavailableError, match="set LADE_SMTP_URL"):
        await absent.send(MAIL)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer("mail", 25, False, None)),
        ("smtp://u:p@mail", SmtpServer("mail", 25, False, True, "u", "p")),
        ("smtp://u:p@127.0.0.1:2525", SmtpServer("127.0.0.1", 2525, False, None, "u", "p")),
        ("smtp+starttls://mail", SmtpServer("mail", 587, False, True)),
        ("smtps://u:p@mail", SmtpServer("mail", 465, True, False, "u", "p")),
    ],
)
def test_the_url_says_how_to_connect(url: str, server: SmtpServer) -> None:
    """A password crosses a network encrypted or not at all."""
    assert smtp_server(url) == server


@pytest.mark.parametrize("url", ["smtp://", "smtp://:25", "smtp://mail:port"])
def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(OperatorError, match=r"^LADE_SMTP_URL .* write smtp://"):
        smtp_server(url)


def test_a_mailer_does_not_show_its_password() -> None:
    """The representation of the server has no password in it."""
    assert "hunter2" not in repr(smtp_server("smtp://u:hunter2@mail"))
    assert SmtpMailer(smtp_server("smtp://u:hunter2@mail"), sender="a@b", clock=SystemClock()) is not None
