"""A server of the wires that the JavaScript clients talk to: `uvicorn tests.http.wire_app:app`.

With `WIRE_WORKER` it runs a worker of that name inside. With `WIRE_AUTH` it wants an API key.
"""

from __future__ import annotations

import os
from functools import partial

from tests.http.wire_agents import agents
from turnwise import Worker, connect
from turnwise.background import Policy
from turnwise.http.api_keys import by_api_key
from turnwise.http.app import create_app
from turnwise.http.principals import nobody
from turnwise.http.wires import ag_ui, responses, vercel

session = connect(os.environ["TURNWISE_URL"])
inside = os.environ.get("WIRE_WORKER", "")
app = create_app(
    session,
    agents,
    worker=Worker(session, agents, policy=Policy(max_attempts=1)) if inside else None,
    authenticate=by_api_key(session) if os.environ.get("WIRE_AUTH") else nobody,
    wires=[
        partial(vercel.router, api="/v5", ai_sdk=5),
        partial(vercel.router, api="/v6", ai_sdk=6),
        partial(vercel.router, api="/v7", ai_sdk=7),
        ag_ui.router,
        responses.router,
    ],
)
