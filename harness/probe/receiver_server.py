"""Receives what a system sends out: HTTP requests and mail. A separate program.

    python receiver_server.py HTTP_HOST:PORT SMTP_HOST:PORT|- RECORD_FILE

Every request gets the response 202 and every mail is accepted. Each leaves one line in the record,
which has the same format and control paths as the inbox's. A mail is recorded as a ``MAIL`` to the
address of its first recipient, and its body is JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import sys
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from inbox_server import (  # type: ignore[import-not-found]  # in the same folder at run time
    Proxy,
    address_of,
    row_of,
)


class Mails:
    """Writes each mail to the record; a handler for aiosmtpd."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it by this name
        """One mail, with its recipients from the SMTP envelope."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        body = message.get_body(("html", "plain"))
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": str(message["subject"] or ""),
            "text": body.get_content().strip() if body else "",
            "headers": {name: str(value) for name, value in message.items()},
        }
        self._proxy.note(row_of("MAIL", envelope.rcpt_tos[0], json.dumps(mail).encode()))
        return "250 taken"


async def main(http: str, smtp: str, record: Path) -> None:
    """Serve until ended."""
    proxy = Proxy(None, record)
    async with contextlib.AsyncExitStack() as servers:
        if smtp != "-":
            from aiosmtpd.smtp import SMTP

            mails = Mails(proxy)
            loop = asyncio.get_running_loop()
            await servers.enter_async_context(
                await loop.create_server(lambda: SMTP(mails), *address_of(smtp))
            )
        # Last: a check of this port then knows that both are there.
        server = await asyncio.start_server(proxy.serve, *address_of(http))
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
