"""Faults on purpose: searches that are killed, starved and disturbed at every write, and what must hold afterwards.

PYTHONPATH=tests .venv/bin/python -m faults          # all kinds; prints a table
PYTHONPATH=tests .venv/bin/python -m faults --help
"""
