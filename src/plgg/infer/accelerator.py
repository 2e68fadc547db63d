"""The memory of graphics processors, as PyTorch counts it: CUDA and Apple's mps."""

from __future__ import annotations

from functools import partial

import torch

from plgg.infer.host import HOST
from plgg.infer.meter import Meter, Step


def meter_of(device: torch.device) -> Meter:
    """The memory that PyTorch uses on a device."""
    if device.type == "cuda":
        return Meter(
            partial(_cuda_free, device), partial(_cuda_peak, device), torch.cuda.empty_cache
        )
    if device.type == "mps":
        return Meter(_mps_free, _mps_peak, torch.mps.empty_cache)
    return HOST


def _cuda_free(device: torch.device) -> int:
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)


def _cuda_peak(device: torch.device, step: Step) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device) - before)


def _mps_free() -> int:
    return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())


def _mps_peak(step: Step) -> int:
    """The driver keeps what was freed, so what it holds afterwards is the peak."""
    torch.mps.empty_cache()
    before = torch.mps.driver_allocated_memory()
    step()
    torch.mps.synchronize()
    return int(torch.mps.driver_allocated_memory() - before)
