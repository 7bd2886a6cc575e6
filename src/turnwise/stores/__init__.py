"""The stores: one contract (`turnwise.contracts.Store`), three homes for the data."""
