"""Scenario 1: replicas of one app behind a load balancer."""
