"""An HTTP/1.1 client of a few microseconds: one kept connection, whole answers."""

import socket

_HOST = "127.0.0.1"
_TIMEOUT_S = 60.0
_MOST_BYTES = 1 << 18


class Connection:
    """One connection to a server on this machine, opened when it is made and kept."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((_HOST, port), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method: str, target: str, *, token: str, body: bytes = b"") -> bytes:
        """The content of the answer. RuntimeError when its status is not 200."""
        self._socket.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: {_HOST}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            self._receive(received)
        head = bytes(received[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(received) < end + 4 + length:
            self._receive(received)
        content = bytes(received[end + 4 :])
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{head.splitlines()[0]!r}: {content[:500]!r}")
        return content

    def _receive(self, received: bytearray) -> None:
        data = self._socket.recv(_MOST_BYTES)
        if not data:
            raise ConnectionError("the server hung up")
        received += data
