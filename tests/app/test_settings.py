"""What an operator sets is read, kept or refused with words that name it."""

import ipaddress
import os
from pathlib import Path

import pytest

from app.settings import LogFormat, OperatorError, Settings, UnknownChargers, load_settings, local_url

KEY = "k" * 64
EVERYWHERE = "0.0.0.0"  # noqa: S104  nothing is bound here


def loaded(folder: Path, **environ: str) -> Settings:
    return load_settings({"LADE_DATA_DIR": str(folder), **environ})


def test_nothing_has_to_be_set(tmp_path: Path) -> None:
    """Without any variable but the folder everything has its default."""
    settings = loaded(tmp_path / "data", LADE_SECRET_KEY=KEY)
    assert settings == Settings(data_dir=tmp_path / "data", secret_key=KEY)
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")


def test_everything_can_be_set(tmp_path: Path) -> None:
    """Each variable reaches its field."""
    settings = loaded(
        tmp_path,
        LADE_SECRET_KEY=KEY,
        LADE_DATABASE_URL="postgresql://a:b@db/lade",
        LADE_REDIS_URL="redis://cache:6379/0",
        LADE_SMTP_URL="smtps://mail.example",
        LADE_MAIL_FROM="garage@example.org",
        LADE_PUBLIC_URL="https://lade.example/",
        LADE_HOST=EVERYWHERE,
        LADE_PORT="9000",
        LADE_METER_INTERVAL_S="60",
        LADE_OFFLINE_AFTER_S="1800",
        LADE_UNKNOWN_CHARGERS="Hold",
        LADE_TRUSTED_PROXIES="10.0.0.5, fd00:1::/64",
        LADE_CLIENT_CERT_HEADER="X-Client-Cert",
        LADE_OPEN_INSTALLATIONS="Yes",
        LADE_LOG_FORMAT="json",
        LADE_LOG_LEVEL="WARNING",
    )
    assert settings == Settings(
        data_dir=tmp_path,
        secret_key=KEY,
        database_url="postgresql://a:b@db/lade",
        redis_url="redis://cache:6379/0",
        smtp_url="smtps://mail.example",
        mail_from="garage@example.org",
        public_url="https://lade.example",
        host=EVERYWHERE,
        port=9000,
        meter_interval_s=60,
        offline_after_s=1800,
        unknown_chargers=UnknownChargers.HOLD,
        trusted_proxies=(ipaddress.ip_network("10.0.0.5/32"), ipaddress.ip_network("fd00:1::/64")),
        client_cert_header="X-Client-Cert",
        is_creation_open=True,
        log_format=LogFormat.JSON,
        log_level="warning",
    )


def test_settings_do_not_print_their_secrets(tmp_path: Path) -> None:
    """The representation holds neither the key nor a URL that may carry a password."""
    shown = repr(loaded(tmp_path, LADE_SECRET_KEY=KEY, LADE_DATABASE_URL="postgresql://a:hunter2@db/lade"))
    assert KEY not in shown
    assert "hunter2" not in shown


def test_a_secret_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """The first start makes a key that only this user can read; the next one finds the same."""
    first = loaded(tmp_path)
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600
    assert len(first.secret_key) == 64
    assert loaded(tmp_path).secret_key == first.secret_key
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]


def test_a_new_data_folder_is_private(tmp_path: Path) -> None:
    """A folder that was not there is made for this user alone."""
    loaded(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LADE_DATABASE_URL", "mysql://db/lade", "LADE_DATABASE_URL is not a URL that works here: it must begin with"),
        (
            "LADE_REDIS_URL",
            "cache:6379",
            "LADE_REDIS_URL is not a URL that works here: it must begin with one of redis://",
        ),
        ("LADE_SMTP_URL", "http://[", "LADE_SMTP_URL is not a URL that works here"),
        ("LADE_PUBLIC_URL", "lade.example", "LADE_PUBLIC_URL is not a URL that works here"),
        ("LADE_PORT", "http", "LADE_PORT is 'http': set it to a number from 0"),
        ("LADE_PORT", "70000", "LADE_PORT is '70000': set it to a number from 0"),
        (
            "LADE_METER_INTERVAL_S",
            "0",
            "LADE_METER_INTERVAL_S is '0': set it to a whole number of seconds from 1 to 900.",
        ),
        (
            "LADE_OFFLINE_AFTER_S",
            "15 min",
            "LADE_OFFLINE_AFTER_S is '15 min': set it to a whole number of seconds from 60 to 86400.",
        ),
        ("LADE_OPEN_INSTALLATIONS", "1", "LADE_OPEN_INSTALLATIONS is '1': set it to yes or no."),
        ("LADE_UNKNOWN_CHARGERS", "accept", "LADE_UNKNOWN_CHARGERS is 'accept': set it to refuse or hold."),
        ("LADE_TRUSTED_PROXIES", "proxy.example", "LADE_TRUSTED_PROXIES is no list of networks: 'proxy.example'"),
        ("LADE_TRUSTED_PROXIES", "10.0.0.5/8", "LADE_TRUSTED_PROXIES is no list of networks: 10.0.0.5/8 has host bits"),
        ("LADE_TRUSTED_PROXIES", "10.0.0.5,0.0.0.0/0", "LADE_TRUSTED_PROXIES names every address:"),
        (
            "LADE_CLIENT_CERT_HEADER",
            "X Client",
            "LADE_CLIENT_CERT_HEADER is 'X Client': set it to the name of a header",
        ),
        ("LADE_CLIENT_CERT_HEADER", "Authorization", "LADE_CLIENT_CERT_HEADER is 'Authorization': set it to the name"),
        ("LADE_LOG_FORMAT", "xml", "LADE_LOG_FORMAT is 'xml': set it to auto, console or json."),
        ("LADE_LOG_LEVEL", "loud", "LADE_LOG_LEVEL is 'loud': set it to debug, info, warning or error."),
        ("LADE_SECRET_KEY", "short", "LADE_SECRET_KEY is shorter than 32 characters: make one with"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(tmp_path: Path, name: str, value: str, words: str) -> None:
    """The message begins with the variable's name and says what would do."""
    with pytest.raises(OperatorError) as caught:
        loaded(tmp_path, **{name: value})
    assert str(caught.value).startswith(words)


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A path that cannot be a folder is refused, naming the variable."""
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match=r"cannot be written: .* set LADE_DATA_DIR to one that is\."):
        loaded(tmp_path / "file")


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    """A key file that was cut short is not used in silence."""
    (tmp_path / "secret-key").write_text("abc")
    with pytest.raises(OperatorError, match="is damaged"):
        loaded(tmp_path)


def test_the_environment_of_the_process_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the process' own environment is read."""
    monkeypatch.setenv("LADE_DATA_DIR", os.fspath(tmp_path))
    assert load_settings().data_dir == tmp_path


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        (EVERYWHERE, "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("garage.local", "http://garage.local:8080"),
    ],
)
def test_the_local_url_can_be_opened_in_a_browser(host: str, url: str) -> None:
    """An address that means every network becomes one that can be opened."""
    assert local_url(host, 8080) == url
