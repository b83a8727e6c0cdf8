"""How a function becomes a kernel: compiled by numba without the interpreter lock, kept on disk between runs.

numba's own cache looks only at the file of the function itself: an edited callee in another file, or a
changed constant, leaves stale machine code in use. And it replaces the index of a stale entry before the code
behind it, so a reader (or a crash) between the two would take old code for new. So the compiled code lives in
a folder named by a hash of all sources of the kernel's package, and of this one. Reading those sources once, at import,
is the only input the package ever does.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def stamp(folder: Path) -> str:
    """Hash of every source in *folder*: names and bytes, in order of name."""
    return _hash(sorted(folder.glob("*.py")))


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


_IMPORT = re.compile(rb"^(?:from|import) ([\w.]+)", re.MULTILINE)
HERE = Path(__file__).parent
STAMP = stamp(HERE)
DISPATCHERS: list[Any] = []
"""Every kernel of this process, for tests that count signatures."""


@cache
def stamp_of(folder: Path) -> str:
    """What the kernels in *folder* are made of: everything here, and of another package's all sources there and what
    they import of their own package, for a constant may come from any of it.
    """
    if folder == HERE:
        return STAMP
    top = folder
    while (top.parent / "__init__.py").exists():
        top = top.parent
    seen: set[Path] = set()
    todo = list(folder.glob("*.py"))
    while todo:
        path = todo.pop()
        if path not in seen and path.exists():
            seen.add(path)
            names = (name.decode().split(".") for name in _IMPORT.findall(path.read_bytes()))
            todo += [top.parent.joinpath(*name).with_suffix(".py") for name in names if name[0] == top.name]
    return hashlib.sha256(f"{STAMP}{_hash(sorted(seen))}".encode()).hexdigest()


class _Stamped:
    """numba's locator of a cache folder, one level deeper: in a folder named by the stamp."""

    def __init__(self, inner: Any, folder: Path) -> None:
        self._inner = inner
        self._stamp = stamp_of(folder)

    def get_cache_path(self) -> str:
        return os.path.join(self._inner.get_cache_path(), f"kernels-{self._stamp[:16]}")

    def ensure_cache_path(self) -> None:
        os.makedirs(self.get_cache_path(), exist_ok=True)

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return str(self._inner.get_disambiguator())


class _StampedImpl(CompileResultCacheImpl):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]  # numba's own has no types
        self._locator = _Stamped(self._locator, Path(function.__code__.co_filename).parent)


class _StampedCache(FunctionCache):
    _impl_class = _StampedImpl


def constant(value: int) -> int:
    """An integer that kernels take for an int64. A plain one is a literal to numba, and each callee is compiled
    once more for it.
    """
    return cast(int, np.int64(value))


def kernel(function: F) -> F:
    """Compile *function* on first use; other kernels may call it. Its arrays come from `geo.arrays.frozen` or
    from us. It makes no array and returns none: see `allocating`.

    Where no folder is writable (neither beside the sources nor in the user's cache) it compiles in every
    process.
    """
    return _compiled(function, counted=False)


def allocating(function: F) -> F:
    """As `kernel`, of a function that makes arrays or returns some.

    Only such code counts references to arrays. To count costs an atomic operation or two for each array that is taken
    out of a record, which in a kernel that judges one ping is more than all its work; whoever calls a kernel holds its
    arrays for as long as it runs.
    """
    return _compiled(function, counted=True)


def fused(function: F) -> F:
    """A kernel in which a product and a sum may become one instruction. That is quicker, and rounds once where two
    would round twice: for kernels in which the last bit decides nothing.
    """
    return _compiled(function, counted=False, fastmath={"contract"})


def inlined(function: F) -> F:
    """A kernel whose code becomes part of each kernel that calls it. For what a hot loop calls: to pass arrays costs
    10 to 30 ns. Within such a kernel one more that takes arrays costs the same again; one that takes numbers, nothing.
    """
    return _compiled(function, counted=False, forceinline=True)


def _fetch(_typing: Any, array: Any, _row: Any) -> Any:
    """numba's way to put an instruction into a kernel (numba.readthedocs.io: "Implementing intrinsics")."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        given = context.make_array(kind)(context, builder, arguments[0])
        step = cgutils.unpack_tuple(builder, given.strides, kind.ndim)[0]  # type: ignore[no-untyped-call]
        place = builder.add(builder.ptrtoint(given.data, step.type), builder.mul(arguments[1], step))
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        prefetch = cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        to_read, all_caches, data = (ir.Constant(word, value) for value in (0, 3, 1))
        builder.call(prefetch, [builder.inttoptr(place, byte), to_read, all_caches, data])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


fetch = cast(Callable[[Any, Any], None], intrinsic(_fetch))
"""fetch(array, row), in kernels: have the line of the processor's cache in which the row begins brought near, without
waiting for it. The row need not exist.
"""


def _widened(template: Callable[..., Any], args: Sequence[Any], kws: Mapping[str, Any]) -> Any:
    """What numba asks a kernel that a kernel calls, with its integers as int64: else the callee is compiled once more
    for each literal, for an i4 out of an array, and for what a variable seems to be before its loop has been read.
    """
    return template([_wide(kind) for kind in args], {name: _wide(kind) for name, kind in kws.items()})


def _wide(kind: Any) -> Any:
    plain = types.unliteral(kind)  # type: ignore[no-untyped-call]  # numba's own has no types
    return types.int64 if plain == types.int32 else plain


def _compiled(function: F, counted: bool, **options: Any) -> F:
    compiler = numba.njit(nogil=True, error_model="numpy", _nrt=counted, **options)  # type: ignore[call-overload]
    dispatcher: Any = compiler(function)
    with suppress(RuntimeError):  # numba: "no locator available"
        dispatcher._cache = _StampedCache(function)  # type: ignore[no-untyped-call]  # numba's own has no types
    dispatcher.get_call_template = partial(_widened, dispatcher.get_call_template)
    DISPATCHERS.append(dispatcher)
    return cast(F, dispatcher)
