"""Which rows of a file are wanted: one bit a row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any


class Chosen:
    """The wanted rows of a file, in its order. Iterate over it to get a truth value for each row.

    :param bits: a bit for each row, the lowest of a byte first. Bits behind the last row are zero.
    :param rows: how many rows the file has.
    """

    def __init__(self, bits: bytes | bytearray | memoryview, rows: int) -> None:
        self._bits = bits
        self.rows = rows

    @property
    def count(self) -> int:
        """How many rows are wanted."""
        return int.from_bytes(self._bits, "little").bit_count()

    def __iter__(self) -> Iterator[bool]:
        return islice(chain.from_iterable(map(_TRUTHS.__getitem__, self._bits)), self.rows)

    def mask(self, start: int, rows: int) -> Any:
        """Return the truth values of some rows as an array of Arrow, which filters a batch.

        :param start: how many rows of the file come before.
        """
        import pyarrow

        bits = pyarrow.py_buffer(self._bits)  # Arrow's own form: nothing is copied
        return pyarrow.BooleanArray.from_buffers(pyarrow.bool_(), rows, [None, bits], offset=start)


#: The truth values of a byte's bits, the lowest first.
_TRUTHS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]
