"""Partitions, customer numbers, positions and the names of the log's keys."""

from __future__ import annotations

import xxhash

PARTITIONS = 16
PARTITION_HASH = "xxh64"
SEQ_BITS = 20


def partition_of(customer: str) -> int:
    """Partition of a customer id: xxh64 of its UTF-8 bytes, modulo P."""
    return xxhash.xxh64_intdigest(customer.encode()) % PARTITIONS


def number_of(row: int, p: int) -> int:
    """Customer number of the *row*-th customer of partition *p*."""
    return row * PARTITIONS + p


def position_of(entry_id: bytes | str) -> int:
    """Stream entry id `ms-seq` → position `ms << 20 | seq`, which orders as the ids do."""
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    ms, _, seq = text.partition("-")
    return int(ms) << SEQ_BITS | int(seq or 0)


def entry_id(position: int) -> str:
    """The stream entry id of a position."""
    return f"{position >> SEQ_BITS}-{position & ((1 << SEQ_BITS) - 1)}"


def position_ms(position: int) -> int:
    """Milliseconds of a position, in the log server's clock (without the engine's offset)."""
    return position >> SEQ_BITS


def log_key(p: int) -> str:
    """Stream of a partition; the braces keep a partition's keys in one cluster slot."""
    return f"log:{{{p}}}"


def meta_key(p: int) -> str:
    """Hash beside the stream: `epoch`, `total` (bytes ever appended), `base` (bytes trimmed), `kept` (first id not
    trimmed)."""
    return f"logmeta:{{{p}}}"


def checkpoint_key(p: int) -> str:
    """Hash of checkpoint chunks by number."""
    return f"checkpoint:{{{p}}}"


def staged_key(p: int) -> str:
    """Hash of the chunks of a checkpoint that is being written: no part of any until its head says so."""
    return f"checkpointstaged:{{{p}}}"


def head_key(p: int) -> str:
    """Hash that heads the checkpoint: `epoch`, `position`, `log_epoch`, `revision`."""
    return f"checkpointhead:{{{p}}}"


def pace_key(project: str, campaign: int = 0) -> str:
    """Hash of the pace that all senders of a Firebase project share, or of one campaign's within it."""
    return f"pace:{{{project}}}:{campaign}" if campaign else f"pace:{{{project}}}"


TRANSITIONS_KEY = "transitions"
"""Stream of what happened at fences, for who subscribes."""
OUTBOX_CHANNEL = "outbox"
"""Published after a commit with messages: senders look."""
CAMPAIGN_STARTED = b"start"
"""Published there when a campaign was activated: it may have an audience to walk through."""
INBOX_CHANNEL = "inbox"
"""Published with a customer's number: that customer's stream looks."""
DIRECTORY_CHANNEL = "directory"
"""Published with a customer's id: directories forget it."""
