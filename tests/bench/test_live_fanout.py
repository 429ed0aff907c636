import asyncio
import time

import pytest

from bench.live_stage import Ear
from bench.sockets import Client, Following

HANDSHAKE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Deaf(asyncio.Transport):
    """A transport whose other side hears nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        del data


def frame(text: str, opcode: int = 0x1) -> bytes:
    """As a server sends it."""
    payload = text.encode()
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)
    return bytes([0x80 | opcode]) + length + payload


def status(version: int, padding: str = "") -> str:
    """A delivery, as both servers write it."""
    return (
        f'{{"id":"1","payload":{{"data":{{"name":"{padding}","status":{{"mode":"CHARGING","version":{version}}}}}}}}}'
    )


def test_only_deliveries_of_published_versions_count() -> None:
    """The version of each frame says when it was published."""
    ear = Ear(published_at={7: time.perf_counter() - 1.0})
    for version in (6, 7, 8, 7):
        text = bytearray(b"before" + status(version).encode())
        ear.heard(text, len("before"), len(text))
    assert len(ear.latencies_s) == 2
    assert all(1.0 <= latency < 2.0 for latency in ear.latencies_s)


@pytest.mark.parametrize("step", [1, 3, 200, 1_000_000])
async def test_frames_are_heard_whole_however_they_are_cut(step: int) -> None:
    """Short, middle and long frames, one after the other."""
    heard: list[str] = []
    client = Client(1, Following("", {}, None), lambda buffer, start, end: heard.append(buffer[start:end].decode()))
    client.ready.set_result(None)
    client.connection_made(Deaf())
    texts = [status(1), status(2, "x" * 500), status(3, "y" * 70_000), status(4)]
    stream = HANDSHAKE + b"".join(frame(text) for text in texts)
    for start in range(0, len(stream), step):
        client.data_received(stream[start : start + step])
    assert heard == texts
