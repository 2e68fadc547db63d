"""Device, precision, threads and memory allocator of a process."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from plgg.core.environment import cores
from plgg.core.errors import ConfigError


@dataclass(frozen=True)
class Runtime:
    """A device and whether the network runs in bfloat16 there."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which the network's heavy layers run in the chosen precision."""
        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @property
    def precision(self) -> str:
        """`bf16` or `fp32`."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def name(self) -> str:
        """For logs: device and precision."""
        return f"{self.device.type} {self.precision}"


def choose_runtime(precision: Literal["auto", "bf16", "fp32"] = "auto") -> Runtime:
    """CUDA if there is one, then Apple's mps, then the CPU; bf16 where the hardware has it.

    Raises:
        ConfigError: If bf16 is asked of mps, which runs fp32 alone.
    """
    device = torch.device(_device_type())
    if device.type == "mps" and precision == "bf16":
        raise ConfigError("Apple's mps runs in fp32 only", remedy="Set precision=auto.")
    return Runtime(device, _has_bf16(device) if precision == "auto" else precision == "bf16")


def _device_type() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_has_bf16()


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulation would be slower than float32."""
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if features:
        return any(bool(features.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - older torch has no other way
    )


# From glibc's malloc.h and its defaults; the threshold is what its own would grow to here.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1
_MANY, _FEW_BYTES, _MANY_BYTES = 2**16, 2**16, 2**25

_keeping: list[bool] = []


@contextmanager
def spare_one_core() -> Iterator[None]:
    """Run networks with one thread less than there are cores, to leave a core to another process.

    Results may differ in the last bits, as they do with another number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, cores() - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for reuse; returns whether that worked.

    Affects only this process. Its resident memory then stays at its peak.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    agreed = bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))
    if agreed:
        _keeping.append(True)
    return agreed


def return_memory() -> None:
    """Return freed memory that glibc keeps to the system; later allocations take it again."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def release_memory_on_free() -> Iterator[None]:
    """Make glibc give freed blocks back at once, so that resident memory is the memory in use.

    At the end freed blocks are kept as before, with glibc's largest threshold for `mmap`.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    return_memory()
    libc.mallopt(_M_MMAP_MAX, _MANY)
    libc.mallopt(_M_MMAP_THRESHOLD, _FEW_BYTES)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, _MANY_BYTES)
        libc.mallopt(_M_MMAP_MAX, 0 if _keeping else _MANY)
