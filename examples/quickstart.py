"""Quick start: no API key, no server. Run it twice: the second process finds the stored turn."""

import asyncio

from agents import Agent, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

from turnwise import Runner, connect


@function_tool
def order_status(order: str) -> str:
    print(f"  tool: looking up {order}")
    return "shipped on Monday"


async def main() -> None:
    # A script stands in for a model. With an OPENAI_API_KEY, leave `model=` out.
    model = ScriptedModel(
        [
            [function_call("order_status", '{"order": "A-1001"}', call_id="call-1")],
            [assistant_message("Order A-1001 was shipped on Monday.")],
        ]
    )
    agent = Agent(name="Support", model=model, tools=[order_status])

    async with connect("sqlite:///quickstart.db") as session:
        for sending in ("sent", "sent again"):  # an impatient user presses the button twice
            result = await Runner.run(
                agent, "Where is A-1001?", session=session, session_id="user-1", turn_id="click-1"
            )
            print(f"{sending}: {result.final_output}")

        history = await session.bind("user-1").get_items()
        print(f"{len(model.calls)} model calls, {len(history)} items in the history")


if __name__ == "__main__":
    asyncio.run(main())
