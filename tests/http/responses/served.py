"""Agents for the compliance suite: one that answers, and calls a tool where one is asked for."""

from __future__ import annotations

from typing import Any

from tests.http.responses.writer import call, text, thought, writer


def answer(given: list[Any]) -> list[Any]:
    if "weather" in str(given[-1].get("content")):
        return [call("get_weather", '{"location": "San Francisco"}')]
    return [thought("Let me see."), text("Here you are.")]


agents = [writer(answer, name="gpt-5-of-tests")]  # the suite asks models of such names for thoughts
