"""Where the log of a command goes: lines on standard error, for people or as JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

_TALKATIVE = "httpcore", "httpx", "openai"
"""These log each request below WARNING, `openai` with its content at DEBUG."""
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""What every record has; the others are fields that the call gave as `extra`."""


def set_up_logging(level: LogLevel, format: LogFormat) -> None:
    """Log to standard error, from this level on."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JSONFormatter() if format == "json" else text)
    logging.basicConfig(handlers=[handler], level=level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(own | fields, default=str)
