"""The agents that are deployed: put yours here."""

from agents import Agent

agents = [Agent(name="support", instructions="You help customers of a shop.")]
