"""What OpenAPI says of the routes' streams and errors."""

from __future__ import annotations

from typing import Any

from turnwise.http.problems import phrase_of

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_CONTENT = {"application/json": {"schema": _ERROR}}
_STATUSES = (400, 401, 403, 404, 413, 429, 500, 503)
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": phrase_of(status), "content": _CONTENT} for status in _STATUSES
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The object, or its events", "content": {"text/event-stream": {}}}
}
"""For a route that streams if it is asked to."""
