"""Samplers: which architecture is proposed next."""
