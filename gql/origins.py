"""Whether a browser's page may talk to us: only one of our own address may."""

from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"http": 80, "https": 443}


class Origins:
    """The origin of LADE_PUBLIC_URL; on the own machine, all its names."""

    def __init__(self, public_url: str) -> None:
        self._own = _parts(public_url)
        self.public_url = public_url

    def allows(self, origin: str | None) -> bool:
        """Whether a request with this Origin header may go on; programs that are no browser send none."""
        return origin is None or _parts(origin) == self._own


def _parts(url: str) -> tuple[str, str, int | None]:
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        return (url, "", None)
    name = "loopback" if host in _LOOPBACK else host
    return (split.scheme, name, port or _PORTS.get(split.scheme))
