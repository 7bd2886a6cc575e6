"""Parts of the support desk: the shop, its policy, metrics, and rules in place of a model."""
