"""Where and in which precision the network runs: chosen plainly, once, at the start of a job."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch


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
    def name(self) -> str:
        """For logs: device and precision."""
        return f"{self.device.type} {'bf16' if self.bf16 else 'fp32'}"


def choose_runtime(precision: Literal["auto", "bf16", "fp32"] = "auto") -> Runtime:
    """CUDA if there is one, then Apple's mps, then the CPU; bf16 where the hardware has it."""
    if torch.cuda.is_available():
        device, has_bf16 = (
            torch.device("cuda"),
            torch.cuda.is_bf16_supported(including_emulation=False),
        )
    elif torch.backends.mps.is_available():
        device, has_bf16 = torch.device("mps"), False
    else:
        device, has_bf16 = torch.device("cpu"), cpu_has_bf16()
    return Runtime(device, has_bf16 if precision == "auto" else precision == "bf16")


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulation would be slower than float32."""
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if features:
        return any(bool(features.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - older torch has no other way
    )
