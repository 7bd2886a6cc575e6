"""From URLs, clients and paths to sessions: the only place that knows how they are put together."""

from turnwise.connect.ids import make_session_id
from turnwise.connect.sessions import MemorySession, RedisSession, SQLiteSession
from turnwise.connect.url import connect

__all__ = ["MemorySession", "RedisSession", "SQLiteSession", "connect", "make_session_id"]
