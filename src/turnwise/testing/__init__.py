"""What tests of Turnwise, and of applications built on it, need."""
