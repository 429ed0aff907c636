"""What an operator can set, where it is read, and what they are told when it cannot work."""

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
"""Reverse proxies on the same host."""

DEFAULT_DATA_DIR = ".lade"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_METER_INTERVAL_S = 10
"""An increase for one car waits for a reading that shows another's reduction: a minute of it is a minute of energy lost."""
DEFAULT_OFFLINE_AFTER_S = 900
"""Of silence, before people are told: long enough for a router that restarts, short enough for the same evening."""
SECRET_KEY_MIN_LENGTH = 32
"""HS256 wants a key at least as long as its digest (RFC 7518 §3.2)."""

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_TAKEN_HEADERS = frozenset(
    {"authorization", "connection", "cookie", "host", "origin", "upgrade", "x-forwarded-for", "x-forwarded-proto"}
)

_PRIVATE_DIR = 0o700
_PRIVATE_FILE = 0o600

_SCHEMES = {
    "LADE_DATABASE_URL": ("postgres", "postgresql", "sqlite"),
    "LADE_REDIS_URL": ("redis", "rediss", "unix"),
    "LADE_SMTP_URL": ("smtp", "smtp+starttls", "smtps"),
    "LADE_PUBLIC_URL": ("http", "https"),
}


class OperatorError(Exception):
    """The program cannot run as it is set up; the message says what to do. Exit status 2, no traceback."""


class ServerRole(StrEnum):
    """A part of the work that a process takes on; `lade serve` takes all of them."""

    API = "api"
    DEVICES = "devices"
    BALANCER = "balancer"
    JOBS = "jobs"


ALL_ROLES = frozenset(ServerRole)


class LogFormat(StrEnum):
    """How log lines look; AUTO is CONSOLE on a terminal and JSON elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class UnknownChargers(StrEnum):
    """What becomes of a charger that nobody has added: it is sent away, or it waits until somebody adopts it."""

    REFUSE = "refuse"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the environment decides. None for a URL: the built-in (SQLite, embedded Valkey) or nothing (SMTP)."""

    data_dir: Path
    secret_key: str = field(repr=False)
    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str | None = None
    public_url: str = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    meter_interval_s: int = DEFAULT_METER_INTERVAL_S
    """How often chargers are asked to send their readings while a car charges."""
    offline_after_s: int = DEFAULT_OFFLINE_AFTER_S
    """How long a charger is silent before an alert says that it is offline."""
    unknown_chargers: UnknownChargers = UnknownChargers.REFUSE
    call_out_allow: tuple[Network, ...] = ()
    """Private networks that calls to external authentication systems may go to."""
    trusted_proxies: tuple[Network, ...] = LOOPBACK
    """Reverse proxies that are believed when they say whom they heard from."""
    client_cert_header: str | None = None
    """In which header those proxies pass on a client certificate that they have verified; None: in none, and nobody is believed."""
    is_sign_up_open: bool = False
    """Whether everybody may make an account, or whoever is invited only."""
    openid_issuer: str | None = None
    openid_audience: str | None = None
    """Our client id at the outside provider; set together with its issuer."""
    is_creation_open: bool = False
    """Whether everybody with an account may make installations, or administrators only."""
    log_format: LogFormat = LogFormat.AUTO
    log_level: str = "info"

    @property
    def exports_dir(self) -> Path:
        """Where files that people asked for are kept for a day."""
        return self.data_dir / "exports"

    @property
    def models_file(self) -> Path:
        """The operator's own table of charger models, if there is one (docs/ocpp.md)."""
        return self.data_dir / "charger-models.toml"


def load_settings(
    environ: Mapping[str, str] | None = None, *, host: str | None = None, port: int | None = None
) -> Settings:
    """The settings of this environment; the data folder exists and can be written, a secret key is in it if none was given.

    `host` and `port` go before the environment's. OperatorError names the variable that is wrong.
    """
    env = os.environ if environ is None else environ
    data_dir = prepare_data_dir(Path(env.get("LADE_DATA_DIR") or DEFAULT_DATA_DIR))
    host = host or env.get("LADE_HOST") or DEFAULT_HOST
    port = _port(env) if port is None else port
    return Settings(
        data_dir=data_dir,
        secret_key=_secret_key(env, data_dir),
        database_url=_url(env, "LADE_DATABASE_URL"),
        redis_url=_url(env, "LADE_REDIS_URL"),
        smtp_url=_url(env, "LADE_SMTP_URL"),
        mail_from=env.get("LADE_MAIL_FROM") or None,
        public_url=(_url(env, "LADE_PUBLIC_URL") or local_url(host, port)).rstrip("/"),
        host=host,
        port=port,
        meter_interval_s=_seconds(env, "LADE_METER_INTERVAL_S", DEFAULT_METER_INTERVAL_S, least=1, most=900),
        offline_after_s=_seconds(env, "LADE_OFFLINE_AFTER_S", DEFAULT_OFFLINE_AFTER_S, least=60, most=86_400),
        unknown_chargers=_unknown_chargers(env),
        call_out_allow=_networks(env, "LADE_CALL_OUT_ALLOW"),
        trusted_proxies=_proxies(env),
        client_cert_header=_client_cert_header(env),
        is_sign_up_open=_yes(env, "LADE_OPEN_SIGN_UP"),
        openid_issuer=_issuer(env),
        openid_audience=env.get("LADE_OPENID_AUDIENCE") or None,
        is_creation_open=_yes(env, "LADE_OPEN_INSTALLATIONS"),
        log_format=_log_format(env),
        log_level=_log_level(env),
    )


def log_settings(environ: Mapping[str, str] | None = None) -> tuple[LogFormat, str]:
    """How to log, for before the rest is read. OperatorError names the variable that is wrong."""
    env = os.environ if environ is None else environ
    return _log_format(env), _log_level(env)


def local_url(host: str, port: int) -> str:
    """Where a browser on this machine finds a server that listens there."""
    name = {"0.0.0.0": DEFAULT_HOST, "::": "::1", "": DEFAULT_HOST}.get(host, host)  # noqa: S104  recognised, not bound
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def prepare_data_dir(path: Path) -> Path:
    """The folder, absolute, exists, is private when it was made here, and takes files. OperatorError when it does not."""
    absolute = path.expanduser().absolute()
    advice = "Make the folder writable for this user, or set LADE_DATA_DIR to one that is."
    try:
        absolute.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
        probe = absolute / f".write-{os.getpid()}-{secrets.token_hex(4)}"
        probe.touch(mode=_PRIVATE_FILE)
        probe.unlink()
    except OSError as error:
        raise OperatorError(f"The data folder {absolute} cannot be written: {error.strerror}. {advice}") from error
    return absolute


def _url(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    if not value:
        return None
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        scheme = ""
    if scheme not in _SCHEMES[name]:
        expected = ", ".join(f"{one}://" for one in _SCHEMES[name])
        raise OperatorError(f"{name} is not a URL that works here: it must begin with one of {expected}")
    return value


def _port(env: Mapping[str, str]) -> int:
    value = env.get("LADE_PORT")
    if not value:
        return DEFAULT_PORT
    if not value.isdecimal() or not 0 <= int(value) <= 65535:
        raise OperatorError(f"LADE_PORT is {value!r}: set it to a number from 0 (any free port) to 65535.")
    return int(value)


def _seconds(env: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    value = env.get(name)
    if not value:
        return default
    if not value.isdecimal() or not least <= int(value) <= most:
        raise OperatorError(f"{name} is {value!r}: set it to a whole number of seconds from {least} to {most}.")
    return int(value)


def _issuer(env: Mapping[str, str]) -> str | None:
    issuer, audience = env.get("LADE_OPENID_ISSUER") or None, env.get("LADE_OPENID_AUDIENCE")
    if issuer is None and audience:
        raise OperatorError("LADE_OPENID_AUDIENCE is set without LADE_OPENID_ISSUER: set both, or none.")
    if issuer is None:
        return None
    if not audience:
        raise OperatorError(
            "LADE_OPENID_ISSUER is set without LADE_OPENID_AUDIENCE: set our client id at that provider."
        )
    if urlsplit(issuer).scheme not in ("https", "http"):
        raise OperatorError("LADE_OPENID_ISSUER is not a URL that works here: it must begin with https://")
    return issuer


def _networks(env: Mapping[str, str], name: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(one.strip()) for one in (env.get(name) or "").split(",") if one.strip())
    except ValueError as error:
        raise OperatorError(
            f"{name} is no list of networks: {error}. Write for example 10.20.0.0/16,192.168.1.5/32"
        ) from error


def _proxies(env: Mapping[str, str]) -> tuple[Network, ...]:
    name = "LADE_TRUSTED_PROXIES"
    found = _networks(env, name) or LOOPBACK
    if any(not network.prefixlen for network in found):
        raise OperatorError(
            f"{name} names every address: then anybody could say where they come from. Name your reverse proxies only."
        )
    return found


def _client_cert_header(env: Mapping[str, str]) -> str | None:
    value = env.get("LADE_CLIENT_CERT_HEADER")
    if not value:
        return None
    if not _HEADER.fullmatch(value) or value.lower() in _TAKEN_HEADERS:
        raise OperatorError(
            f"LADE_CLIENT_CERT_HEADER is {value!r}: set it to the name of a header of its own, for example X-Client-Cert."
        )
    return value


def _yes(env: Mapping[str, str], name: str) -> bool:
    value = (env.get(name) or "no").lower()
    if value not in ("yes", "no"):
        raise OperatorError(f"{name} is {value!r}: set it to yes or no.")
    return value == "yes"


def _unknown_chargers(env: Mapping[str, str]) -> UnknownChargers:
    value = (env.get("LADE_UNKNOWN_CHARGERS") or UnknownChargers.REFUSE).lower()
    try:
        return UnknownChargers(value)
    except ValueError as error:
        raise OperatorError(f"LADE_UNKNOWN_CHARGERS is {value!r}: set it to refuse or hold.") from error


def _log_format(env: Mapping[str, str]) -> LogFormat:
    value = env.get("LADE_LOG_FORMAT") or LogFormat.AUTO
    try:
        return LogFormat(value)
    except ValueError as error:
        raise OperatorError(f"LADE_LOG_FORMAT is {value!r}: set it to auto, console or json.") from error


def _log_level(env: Mapping[str, str]) -> str:
    value = (env.get("LADE_LOG_LEVEL") or "info").lower()
    if value not in ("debug", "info", "warning", "error"):
        raise OperatorError(f"LADE_LOG_LEVEL is {value!r}: set it to debug, info, warning or error.")
    return value


def _secret_key(env: Mapping[str, str], data_dir: Path) -> str:
    given = env.get("LADE_SECRET_KEY")
    if not given:
        return _kept_secret_key(data_dir / "secret-key")
    if len(given) < SECRET_KEY_MIN_LENGTH:
        raise OperatorError(
            f"LADE_SECRET_KEY is shorter than {SECRET_KEY_MIN_LENGTH} characters: make one with `openssl rand -hex 32`."
        )
    return given


def _kept_secret_key(path: Path) -> str:
    """The key in the file; made once. Two processes that start together end up with the same one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        if not path.exists():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = path.read_text().strip()
    except OSError as error:
        raise OperatorError(
            f"The secret key {path} cannot be used: {error.strerror}. Make it readable for this user, or set LADE_SECRET_KEY."
        ) from error
    if len(key) < SECRET_KEY_MIN_LENGTH:
        raise OperatorError(
            f"The secret key in {path} is damaged. Delete the file (everybody signs in anew) or restore it."
        )
    return key
