"""What the support agent stands on: a shop, its policy, its metrics, and rules to talk by."""
