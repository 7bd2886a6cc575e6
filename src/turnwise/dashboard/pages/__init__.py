"""The pages: each file one of them, with what can be done on it."""
