"""Scenario 1: the same app behind a load balancer, as often as needed."""
