"""Conversations that the SDK's SQLAlchemySession keeps in a database. Nothing is written."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from turnwise.errors import StoreUnavailable, UsageError
from turnwise.types import SDKConversation, SDKItem

if TYPE_CHECKING:
    from sqlalchemy import Select


class SDKDatabase:
    """The two tables of `SQLAlchemySession`, by a URL of SQLAlchemy with an async driver."""

    def __init__(self, url: str, sessions_table: str, messages_table: str) -> None:
        try:
            from sqlalchemy import column, table
            from sqlalchemy.exc import SQLAlchemyError
            from sqlalchemy.ext.asyncio import create_async_engine
        except ModuleNotFoundError as error:
            raise UsageError(
                f"reading a database needs {error.name}; install turnwise[import]"
            ) from None
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
        try:
            self._engine = create_async_engine(url)
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise UsageError(
                f"the database cannot be opened: {error}. Use a URL with an async driver that is "
                "installed, postgresql+asyncpg://..., say"
            ) from None
        self._zone: tzinfo | None = None
        names = "session_id", "created_at"
        self._sessions = table(sessions_table, *map(column, names))
        self._messages = table(messages_table, *map(column, ("id", "message_data", *names)))

    async def close(self) -> None:
        await self._engine.dispose()

    async def ids(self) -> list[str]:
        """The ids of all sessions."""
        from sqlalchemy import select

        found = select(self._sessions.c.session_id).order_by(self._sessions.c.session_id)
        return [row[0] for row in await self._rows(found)]

    async def read(self, session_id: str) -> SDKConversation:
        """A session."""
        from sqlalchemy import select

        of, messages = self._sessions.c, self._messages.c
        created = select(of.created_at).where(of.session_id == session_id)
        items = select(messages.message_data, messages.created_at)
        items = items.where(messages.session_id == session_id)
        rows = await self._rows(items.order_by(messages.created_at, messages.id))
        zone = await self._zone_of_times()
        times = [_seconds(row[0], zone) for row in await self._rows(created)]
        return SDKConversation(
            session_id,
            [SDKItem(data, _seconds(at, zone)) for data, at in rows],
            created_at=times[0] if times else None,
        )

    async def _zone_of_times(self) -> tzinfo:
        """That of times without one: PostgreSQL writes its own, the others UTC."""
        from sqlalchemy import func, select

        if self._zone is None:
            self._zone = UTC
            if self._engine.dialect.name == "postgresql":
                ((name,),) = await self._rows(select(func.current_setting("TimeZone")))
                with suppress(ValueError, OSError):  # a zone that only the server knows
                    self._zone = ZoneInfo(name)
        return self._zone

    async def _rows(self, statement: Select[Any]) -> Any:
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(statement)).all()
        except self._errors as error:
            text = str(error).partition("\n")[0]
            raise StoreUnavailable(f"the database of the SDK's sessions failed: {text}") from None


def _seconds(value: object, zone: tzinfo) -> float | None:
    """A time that the driver gives as one, or as text; in `zone` if it has none."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(found, datetime):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
