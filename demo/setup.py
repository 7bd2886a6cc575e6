"""What every process of one demo is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from turnwise import session_id


@dataclass(frozen=True, slots=True)
class Setup:
    """Times are seconds. `run` tells this demo's sessions from all others in the store.

    `ttl` removes them if the demo is killed before it can; `pace` is what a model call or a
    tool takes.
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
    def from_json(cls, text: str | bytes) -> Setup:
        return cls(**json.loads(text))

    def session_id(self, conversation: str) -> str:
        return session_id(self.run, conversation)
