"""Who goes on: early stopping for accuracy against cost."""
