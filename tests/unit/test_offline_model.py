"""The examples' model that needs no network streams what it answers."""

from __future__ import annotations

from agents import Agent, Runner

from examples.offline import OfflineModel


async def test_the_pieces_are_the_answer() -> None:
    said = "It arrives on Monday,  at\nnoon. "
    agent = Agent(name="a", model=OfflineModel(lambda _: said))
    result = Runner.run_streamed(agent, "when?")
    pieces = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(pieces) == result.final_output == said
    assert len(pieces) > 5
