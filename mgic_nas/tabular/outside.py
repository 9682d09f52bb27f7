"""Samplers from outside, ``module:factory``, named on the command line or in Python, never by a file."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from .._text import one_line
from ..errors import MachineFault, UserError

_FORM = "a function (seed, pool, problem) that makes an optuna.samplers.BaseSampler"


def is_outside(name: str) -> bool:
    """Whether a sampler's name is that of an attribute of a module."""
    return ":" in name


def from_outside(name: str) -> Callable[..., BaseSampler]:
    """A factory ``(seed, pool, problem)``, or a class of Optuna's that is made from a seed.

    Raises:
        UserError: it cannot be imported, or is neither; the factory raises it where it makes no sampler.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the module raises while it is imported
        raise UserError(f"the sampler {name} cannot be imported: {_said(error)}.") from error
    if isinstance(found, type) and issubclass(found, BaseSampler):
        return _checked(name, lambda seed, pool, problem: found(seed=seed))  # type: ignore[call-arg]
    if not callable(found):
        raise UserError(f"the sampler {name} is neither a sampler nor {_FORM}.")
    return functools.update_wrapper(_checked(name, found), found)  # what it says of itself: uses_earlier


def _checked(name: str, make: Callable[[int, Any, Any], Any]) -> Callable[..., BaseSampler]:
    def made(seed: int, pool: Any, problem: Any) -> BaseSampler:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=ExperimentalWarning)
                sampler = make(seed, pool, problem)
        except (UserError, MachineFault):
            raise
        except Exception as error:
            raise UserError(f"the sampler {name} cannot be made: {_said(error)}; name {_FORM}.") from error
        if not isinstance(sampler, BaseSampler):
            raise UserError(f"the sampler {name} makes a {type(sampler).__name__}; name {_FORM}.")
        return sampler

    return made


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """What goes wrong in a search by a sampler from outside is said to be that sampler's, in one line."""
    try:
        yield
    except (UserError, MachineFault):
        raise
    except Exception as error:
        if not is_outside(name):
            raise
        raise UserError(
            f"the sampler {name} failed in a search: {_said(error)}; a search needs one for two objectives (accuracy "
            "and MACs) that can be asked for one proposal after another."
        ) from error


def _said(error: Exception) -> str:
    text = one_line(str(error)).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
