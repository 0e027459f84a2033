"""A second device without a GPU: its tensors lie in memory, but for PyTorch they are another device's, named ``far``.

A tensor of it and one of the CPU together are an error, as on a GPU, and each wait of a program for a GPU is counted. Everything else is
done as on the CPU, so that numbers can be compared. PyTorch takes one such device and keeps it, so it belongs into a process of its own.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

import tokencredit

NAME = "far"
# Operations whose result the program itself, not the device, has to see.
_SEEN = {"_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "_unique2", "unique_dim"}
_PACKAGE = Path(tokencredit.__file__).parent

# How often each function of the package waited for the device, by module and name: for a value, for a shape, for a tensor on the CPU.
waits: Counter[str] = Counter()


class Far(torch.Tensor):
    """A tensor of the device, which holds one of the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> Far:
        shape = {"strides": raw.stride(), "storage_offset": raw.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, raw.size(), dtype=raw.dtype, device=f"{NAME}:0", **shape)
        made.raw = raw
        return made

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, *args, **(kwargs or {}))


def _run(operation: Any, *args: Any, **kwargs: Any) -> Any:
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    here = [value for value in tensors if isinstance(value, Far)]
    name = operation.overloadpacket.__name__
    moves = name in ("_to_copy", "copy_")
    # As on a GPU, where a number may come from the CPU, and a tensor of it must not.
    if here and not moves and any(value.ndim for value in tensors if not isinstance(value, Far)):
        raise RuntimeError(f"{operation}: some of its tensors are on {NAME}, and some on the CPU.")
    to_cpu = moves and not isinstance(args[0], Far) if name == "copy_" else moves and _on_cpu(kwargs)
    if here and (name in _SEEN or to_cpu):
        waits[_caller()] += 1
    if "device" in kwargs:
        kwargs["device"] = torch.device("cpu")
    found = operation(*tree_map_only(Far, _raw, args), **tree_map_only(Far, _raw, kwargs))
    if to_cpu:
        return args[0] if name == "copy_" else found.clone()
    known = {id(value.raw): value for value in here}
    return tree_map_only(torch.Tensor, lambda value: known[id(value)] if id(value) in known else Far(value), found)


def _raw(value: Far) -> torch.Tensor:
    return value.raw


def _on_cpu(kwargs: dict[str, Any]) -> bool:
    device = kwargs.get("device")
    return device is not None and torch.device(device).type == "cpu"


def _caller() -> str:
    """The innermost function of the package that is under way."""
    frame = sys._getframe()
    while frame is not None and _PACKAGE not in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
    if frame is None:
        return "elsewhere"
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"


class _Module(_DummyBackendModule):
    """What PyTorch asks of ``torch.far``."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    return _run(torch.ops.aten.copy_.default, target, source)


# What PyTorch asks of a device before there is a tensor there: room for one, and to fill it.
_setup_privateuseone_for_python_backend(NAME, _Module())
torch.__future__.set_swap_module_params_on_conversion(
    True
)  # a head that is tied to the embedding stays so when a model moves
_library = torch.library.Library("aten", "IMPL")
for _name in ("empty.memory_format", "empty_strided.default", "arange.default", "arange.start", "arange.start_step"):
    _packet, _overload = _name.split(".")
    _operation = getattr(getattr(torch.ops.aten, _packet), _overload)
    _library.impl(_name.removesuffix(".default"), partial(_run, _operation), "PrivateUse1")
_library.impl("_copy_from", _copy_from, "PrivateUse1")


def _in_low_precision(operation: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    """What autocast does on a GPU to the products of a pass: their factors in bfloat16."""
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)):
        cast = tree_map_only(torch.Tensor, lambda each: each.bfloat16() if each.is_floating_point() else each, args)
        return operation(*cast, **kwargs)


_autocast = torch.library.Library("_", "IMPL")
_autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
for _name in ("linear", "matmul", "mm", "bmm", "addmm", "scaled_dot_product_attention"):
    _library.impl(_name, partial(_in_low_precision, getattr(torch.ops.aten, _name).default), "AutocastPrivateUse1")
