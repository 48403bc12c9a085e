"""Mail (mbox, eml): what one sender wrote, with the parts that quote others marked."""

from __future__ import annotations

import mailbox
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

from cutaway.base.errors import UsageError
from cutaway.voice.found_files import FoundFiles
from cutaway.voice.html_blocks import html_blocks
from cutaway.voice.piece import Block, Piece
from cutaway.voice.reading import Asked, iso_date

WHAT = "mail"
INTRODUCES = re.compile(
    r"^(On|Am|Le|El|Il) .{6,200}(wrote|schrieb|écrit|escribió|scritto).{0,3}:$|^-+ ?(Original Message|Forwarded message)"
)


def finds(files: FoundFiles, names: list[str]) -> list[str]:
    """Return mailboxes and single mails."""
    return [
        name for name in names if name.lower().endswith((".mbox", ".eml")) or name.endswith("/mbox") or name == "mbox"
    ]


def pieces(files: FoundFiles, names: list[str], asked: Asked) -> Iterator[Piece]:
    """Read what the sender asked for wrote.

    Raises:
        UsageError: several people wrote and none was named.
    """
    mails = [(name, mail) for name in names for mail in _mails(files.read(name), name)]
    senders = Counter(_sender(mail) for _, mail in mails)
    wanted = asked.sender.strip().lower()
    if not wanted and len(senders) > 1:
        most = ", ".join(f"{sender or 'nobody'} ({count:,})" for sender, count in senders.most_common(4))
        raise UsageError(f"the mail is from {len(senders):,} senders: {most}; name yours with --sender ADDRESS")
    if wanted and wanted not in senders:
        raise UsageError(
            f"no mail is from {wanted}; the most is from {', '.join(s for s, _ in senders.most_common(3))}"
        )
    asked.left_out(
        sum(count for sender, count in senders.items() if wanted and sender != wanted), "mails of other senders"
    )
    for name, mail in mails:
        if not wanted or _sender(mail) == wanted:
            yield Piece(
                "", str(mail["subject"] or "").strip(), "message", name, tuple(_blocks(mail)), iso_date(mail["date"])
            )


def _sender(mail: EmailMessage) -> str:
    return parseaddr(str(mail["from"] or ""))[1].lower()


def _mails(data: bytes, name: str) -> Iterator[EmailMessage]:
    if name.lower().endswith(".eml"):
        yield message_from_bytes(data, policy=policy.default)
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as contents:
        path = Path(folder) / "mbox"
        path.write_bytes(data)
        box = contents.enter_context(closing(mailbox.mbox(path, create=False)))
        for mail in box:
            yield message_from_bytes(mail.as_bytes(), policy=policy.default)


def _blocks(mail: EmailMessage) -> Iterator[Block]:
    body = mail.get_body(("plain", "html"))
    if body is None:
        return
    try:
        text = body.get_content()
    except (LookupError, UnicodeDecodeError, KeyError):
        text = bytes(body.get_payload(decode=True) or b"").decode("cp1252", errors="replace")
    if body.get_content_type() == "text/html":
        for block in html_blocks(str(text))[0]:
            yield Block("reply_quote", block.text) if block.kind == "quote" else block
        return
    written, dashes, signature = str(text).replace("\r\n", "\n").partition("\n-- \n")
    for part in re.split(r"\n\s*\n", written):
        yield from _paragraph(part.split("\n"))
    if dashes and signature.strip():
        yield Block("signature", signature.strip())


def _paragraph(lines: list[str]) -> Iterator[Block]:
    """Part one paragraph's lines into own words and quoted ones."""
    own: list[str] = []
    quoted: list[str] = []
    for line in lines:
        if line.lstrip().startswith(">") or INTRODUCES.match(line.strip()):
            if own:
                yield Block("paragraph", " ".join(own))
            own = []
            quoted.append(line.strip())
        elif line.strip():
            if quoted:
                yield Block("reply_quote", "\n".join(quoted))
            quoted = []
            own.append(line.strip())
    if own:
        yield Block("paragraph", " ".join(own))
    if quoted:
        yield Block("reply_quote", "\n".join(quoted))
