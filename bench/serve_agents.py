"""The agents of `turnwise serve bench.serve_agents:agents`. Their model answers at once."""

from __future__ import annotations

from agents import Agent, set_tracing_disabled

from bench.model import InstantModel, SteadyModel, TypingModel

TOKENS = 2_000
"""How many the agent `long` streams."""

WORDS = 12
"""How many the agent `steady` says, after a pause each; the message says how many seconds."""

set_tracing_disabled(True)
agents = [
    Agent(name="chat", instructions="Answer.", model=InstantModel()),
    Agent(name="typing", instructions="Answer.", model=TypingModel(20)),
    Agent(name="long", instructions="Answer.", model=TypingModel(TOKENS)),
    Agent(name="steady", instructions="Answer.", model=SteadyModel(WORDS)),
]
