"""How much of a search space is looked at, in settings: 20 to 30 microseconds each, canonical form and cost."""

from __future__ import annotations

# Sizes of spaces. Below the first, enumerating takes a second or two and is done whenever anything is asked; up to the
# second a minute, which is spent only where nothing but an exact answer will do: for a survey, or once random draws
# have found nothing. Larger spaces are never enumerated.
EAGER_SIZE = 50_000
EXACT_SIZE = 1_000_000

# Random settings, drawn in turn.
VALIDATION_DRAWS = 64  # that the model has to accept when a space is read
WHERE_DRAWS = 10_000  # until one meets ``where``
DRAWS = 2_000  # until one is feasible, before a space up to EXACT_SIZE is enumerated for a single draw
DESCENT_DRAWS = 2 * DRAWS  # the same in a larger space, before coordinate descent
EXTREME_DRAWS = 500  # feasible ones, of which the costliest stands for a space above EAGER_SIZE ...
EXTREME_TRIES = 20  # ... each after at most so many settings
BUDGET_DRAWS = 1_000  # to show that budgets can be met, before a space above EAGER_SIZE is surveyed
SURVEY_SAMPLES = 20_000  # of a space above EXACT_SIZE, of which statistics are estimated ...
SURVEY_DRAWS = 500_000  # ... out of at most so many that need not meet ``where``
OVERVIEW_SAMPLES = 1_000  # of a space above EAGER_SIZE, for the header of a search
