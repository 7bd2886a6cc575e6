"""Scenario 3: workers in several regions on one Redis Cluster."""
