"""Known bugs, planted into a worker by name. Nothing in turnwise knows of this."""

VARIABLE = "CHAOS_MUTANT"


def plant(name: str) -> None:
    """Nothing, if the name is empty."""
