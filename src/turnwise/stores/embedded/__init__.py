"""The verbs in Python, for stores without a server: memory and SQLite."""
