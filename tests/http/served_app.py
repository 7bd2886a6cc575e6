"""What `create_app` makes, for uvicorn's own command."""

import os

from tests.http.served import agents
from turnwise import Worker, connect
from turnwise.http import create_app

session = connect(os.environ["TURNWISE_URL"])
app = create_app(session, agents, worker=Worker(session, agents, grace=0.2))
