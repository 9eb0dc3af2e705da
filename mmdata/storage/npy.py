"""Arrays as `.npy` files: version 1.0 of the format, C order, little-endian.

Source: NEP 1.
"""

from typing import Any

from numpy.typing import NDArray


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The header of an `.npy`; its length does not depend on the number of rows, `shape[0]`."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    text += " " * (20 - len(str(shape[0])))
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def npy(values: NDArray[Any]) -> bytes:
    """The file of an array that has at least one axis."""
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return npy_header(values.dtype.str, values.shape) + values.tobytes()
