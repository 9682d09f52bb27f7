"""Candidates that may be trained: the feasible pool, filters, and the proposer around a sampler."""
