"""Redis as it is asked by hand: commands in one connection, without a client."""

from __future__ import annotations

import socket
from collections.abc import Mapping


def ask_redis(exports: Mapping[str, str], command: str) -> str:
    """The answer to one command.

    Args:
        exports: of a `Redis` node.
    """
    address = (exports["host"], int(exports["port"]))
    with socket.create_connection(address, timeout=10) as connection:
        answers = connection.makefile("rb")
        connection.sendall(f"AUTH {exports['password']}\r\n{command}\r\n".encode())
        answers.readline()
        line = answers.readline()
        if line.startswith(b"$"):
            return answers.read(max(0, int(line[1:]))).decode()
        return line.decode().strip()
