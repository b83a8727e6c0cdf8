"""Names for array types, and the one way to make an array that nobody writes to."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]
Cells: TypeAlias = npt.NDArray[np.uint64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Records: TypeAlias = npt.NDArray[np.void]

LINE_BYTES = 64


def frozen(values: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """*values* as a read-only, aligned, C-contiguous plain array of *dtype*; shares memory where it can.

    Kernels compile once per array type, and numba tells a read-only, a strided, an unaligned and a
    memory-mapped array apart: everything that reaches a kernel from outside passes here, so each kernel has
    one signature.
    """
    array = np.asarray(values, dtype, order="C")  # np.require does all this, at ten times the price
    if not array.flags.aligned:
        array = array.copy()
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def in_lines(values: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """`frozen`, and begins with a line of the processor's cache: so no row of 32 or 64 bytes lies in two of them."""
    array = frozen(values, dtype)
    if array.ctypes.data % LINE_BYTES:
        room = np.empty(array.nbytes + LINE_BYTES, np.uint8)
        first = -room.ctypes.data % LINE_BYTES
        copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        array = frozen(copy, dtype)
    return array
