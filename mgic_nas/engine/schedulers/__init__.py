"""Schedulers: how long each trial is trained; early stopping for accuracy against cost."""
