"""One job in a worker, as messages to the driver: its epochs, then how it ended. The same for every executor."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import traceback
from collections.abc import Callable, Generator
from typing import Any

from ..._files import write_atomic
from ..._registry import NotImportable, register_again
from ...train.job import Job, Setup, make_attempt_folder
from ..faults import LOST, Fault, classify

EPOCH, DONE, FAILED, POISONED, REFUSED = "epoch", "done", "failed", "poisoned", "refused"

Message = tuple[str, Any]
Work = Callable[..., Generator[dict[str, Any]]]


def messages(work: Work, job: Job, setup: Setup) -> Generator[Message]:
    """``("epoch", result)`` for each epoch, then ``("done", None)`` or ``("failed", fault as a dict)``.

    ``poisoned`` in place of ``failed``: this process can train nothing any more, and should end. ``refused``: a module
    that the job needs is missing in this process, so that the next job would fail as well. Closing the generator closes
    the work, which then leaves no result.
    """
    failure: Message | None = None
    try:
        register_again(setup.registrations)
        with contextlib.closing(work(job, setup)) as results:
            for result in results:
                yield EPOCH, result
    except NotImportable as error:
        failure = REFUSED, str(error)
    except Exception as error:
        fault = Fault.of(error)
        # With the CUDA context lost every later call in the process fails too.
        failure = (POISONED if classify(fault, alone=True) == LOST else FAILED), fault.to_dict()
        _write_traceback(job, setup)
    # Not among the lines above: while the error is there, so are the network and its activations, and the next job
    # needs their memory.
    if failure is None:
        yield DONE, None
    else:
        _free_memory()
        yield failure


def _write_traceback(job: Job, setup: Setup) -> None:
    with contextlib.suppress(OSError):  # a full disk may be why it failed
        folder = make_attempt_folder(setup.folder, job.number, job.attempt)
        write_atomic(folder / "error.txt", traceback.format_exc())


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        with contextlib.suppress(Exception):  # a lost context cannot free anything either
            torch.cuda.empty_cache()


def load_work(name: str) -> Callable[..., Any]:
    """The generator function that ``package.module:function`` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
