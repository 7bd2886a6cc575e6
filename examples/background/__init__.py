"""Scenario 2: a web server enqueues jobs, and background workers answer them."""
