"""Turnwise: any worker can pick up any conversation.

Sessions for agents of the OpenAI Agents SDK, on Redis, Valkey, Redis Cluster, Sentinel, SQLite or
in memory: one turn at a time on a session, committed once.
"""

from turnwise.connect import MemorySession, RedisSession, SQLiteSession, connect, session_id
from turnwise.durable import idempotency_key, repeatable
from turnwise.errors import NoPendingApproval, NotResumable, ReplayMismatch, TurnwiseError
from turnwise.runner import Runner
from turnwise.types import PendingApproval

__all__ = [
    "MemorySession",
    "NoPendingApproval",
    "NotResumable",
    "PendingApproval",
    "RedisSession",
    "ReplayMismatch",
    "Runner",
    "SQLiteSession",
    "TurnwiseError",
    "connect",
    "idempotency_key",
    "repeatable",
    "session_id",
]
