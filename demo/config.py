"""The configuration that all processes of one demo share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from turnwise import make_session_id


@dataclass(frozen=True, slots=True)
class Config:
    """Durations are in seconds. `run` separates this demo's sessions from all others in the store.

    `pace` is how long a model call or a tool call takes. With a `ttl`, the sessions expire even if
    the demo is killed before it deletes them.
    """

    url: str
    run: str
    conversations: int | None = None
    pace: float = 0.0
    ttl: float | None = None
    lease: float = 3.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Config:
        return cls(**json.loads(text))

    def session_id(self, conversation: str) -> str:
        return make_session_id(self.run, conversation)
