"""The process of one local slot: ``python -m mgic_nas.engine.executors.worker_process FD``.

It trains one job after the other. The driver holds the other end of the socket ``FD``; when that closes, because the
run is over or the driver was killed, this process ends at once: what it was training is trained again.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection

from .messages import EPOCH, POISONED, load_work, messages

READY = "ready"


def main(fd: int) -> None:
    # Ctrl-C is the driver's business; it ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, args=(fd,), daemon=True).start()
    connection = Connection(fd)
    try:
        setup, work_name = connection.recv()
        work = load_work(work_name)  # imports torch, which takes seconds: after the socket is being watched
        connection.send((READY, None))
        while True:
            job = connection.recv()
            going = messages(work, job, setup)
            for kind, content in going:
                connection.send((kind, content))
                if kind == EPOCH and not connection.recv():
                    going.close()
                    break
                if kind == POISONED:
                    return
    except (EOFError, ConnectionError):
        return


def _end_with_driver(fd: int) -> None:
    poll = select.poll()
    # Not POLLIN: a message is no reason to wake up. POLLRDHUP is Linux's; elsewhere POLLHUP does.
    poll.register(fd, select.POLLHUP | getattr(select, "POLLRDHUP", 0))
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
