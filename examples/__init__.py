"""Programs that show Turnwise at work; each runs without an API key, and with one if there is."""
