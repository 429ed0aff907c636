"""Log lines keep secrets to themselves."""

import pytest

from app.logs import hide_secrets, without_credentials


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
