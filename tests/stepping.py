"""A thread that a test leads step by step, and kills where it likes."""

from __future__ import annotations

import threading


class KilledError(BaseException):
    """The thread's process died."""


class SteppedThread(threading.Thread):
    """Stops wherever its work calls `wait`, until the test lets it go on.

    :ivar error: what ended it, if anything did.
    :ivar done: whether it has ended.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self.done = False
        self._killed = False
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)

    def begin(self) -> None:
        """Start, and run up to the first stop."""
        self.start()
        self._stopped.acquire()

    def wait(self) -> None:
        """Stop here (called by the thread)."""
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise KilledError

    def step(self) -> None:
        """Run up to the next stop."""
        self._go.release()
        self._stopped.acquire()

    def kill(self) -> None:
        """End the thread where it stands, if it hasn't ended."""
        if not self.done:
            self._killed = True
            self.step()

    def work(self) -> None:
        """Do what the thread is for."""
        raise NotImplementedError

    def run(self) -> None:
        """Work, and say that it is done."""
        try:
            self.work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._stopped.release()
