"""Log lines keep secrets to themselves."""

import logging

import pytest
import structlog

from app.logs import configure_logs, hide_secrets, without_credentials
from app.settings import LogFormat


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:p@h:1/0", "redis://h:1/0"),
        ("no reply from postgresql://u:p@h/d, tried twice", "no reply from postgresql://h/d, tried twice"),
        ("https://lade.example/a@b", "https://lade.example/a@b"),
        ("mail to ola@example.org", "mail to ola@example.org"),
    ],
)
def test_credentials_are_taken_out_of_addresses(text: str, shown: str) -> None:
    """User and password of every URL go, everything else stays."""
    assert without_credentials(text) == shown


def test_secrets_are_hidden_by_their_key() -> None:
    """A value under a secret's name is never written, whatever it is."""
    event = {
        "event": "x",
        "password": "p",
        "Authorization": "Bearer t",
        "refresh_token": "r",
        "count": 3,
        "url": "smtp://u:p@h",
    }
    assert hide_secrets(None, "info", event) == {
        "event": "x",
        "password": "[hidden]",
        "Authorization": "[hidden]",
        "refresh_token": "[hidden]",
        "count": 3,
        "url": "smtp://h",
    }


def test_tracebacks_on_a_terminal_show_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A variable of a frame may be a password or the number of a card."""
    known = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logs(LogFormat.CONSOLE, "info")
        try:
            _fails(" ".join(["correct", "horse", "battery", "staple"]))
        except ValueError:
            structlog.get_logger("lade.test").exception("a defect")
    finally:
        logging.getLogger().handlers[:], level = known
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    told = capsys.readouterr().err
    assert "ValueError: a mistake" in told
    assert "battery staple" not in told


def _fails(password: str) -> None:
    if password:
        raise ValueError("a mistake")
