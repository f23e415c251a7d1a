"""Load of the machine: one shared sample, taken at most twice a second.

psutil and NVML are loaded with the first sample, not before: the server announces itself without them.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from types import ModuleType
from typing import Any

from pumas.errors import system_errors
from pumas.models import DiskSpace, Gpu, Resources

logger = logging.getLogger(__name__)

_SAMPLE_LIFE_S = 0.5
_FIRST_SAMPLE_S = 0.1  # a load needs two readings of the counters; only the first caller waits for the second


def disk_space(folder: Path) -> DiskSpace:
    """Space of the file system that holds `folder`.

    Raises:
        Unavailable: It can't be read.
    """
    with system_errors("Reading the drive's size"):
        usage = shutil.disk_usage(folder)
    return DiskSpace(total_bytes=usage.total, used_bytes=usage.used, free_bytes=usage.free)


class ResourceSampler:
    """Takes samples for all callers of one root; safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._cpu_times: tuple[float, float] | None = None
        self._gpus = NvmlGpus()
        self._sample: Resources | None = None
        self._taken_at = 0.0

    def sample(self) -> Resources:
        """The current sample, not older than half a second.

        Raises:
            Unavailable: A figure can't be read.
        """
        with self._lock:
            if self._sample is None or monotonic() - self._taken_at >= _SAMPLE_LIFE_S:
                self._sample = self._take()
                self._taken_at = monotonic()
            return self._sample

    def _take(self) -> Resources:
        import psutil  # noqa: PLC0415 - see the module's docstring

        with system_errors("Reading the machine's load"):
            if self._cpu_times is None:
                self._cpu_times = _cpu_times(psutil)
                sleep(_FIRST_SAMPLE_S)
            before, self._cpu_times = self._cpu_times, _cpu_times(psutil)
            memory = psutil.virtual_memory()
        return Resources(
            cpu_percent=_busy_percent(before, self._cpu_times),
            ram_used_percent=round(100 * (memory.total - memory.available) / memory.total, 1),
            ram_total_bytes=memory.total,
            gpus=self._gpus.read(),
            disk=disk_space(self._root),
        )

    def close(self) -> None:
        """Let go of the GPU driver."""
        self._gpus.close()


def _cpu_times(psutil: ModuleType) -> tuple[float, float]:
    """Busy and all seconds of all cores. Not `psutil.cpu_percent`: it keeps its last reading per thread."""
    times = psutil.cpu_times()
    # What guests used is part of the user time already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def _busy_percent(before: tuple[float, float], after: tuple[float, float]) -> float:
    busy, total = after[0] - before[0], after[1] - before[1]
    return round(min(100.0, max(0.0, 100 * busy / total)), 1) if total > 0 else 0.0


class NvmlGpus:
    """NVIDIA GPUs through NVML, opened once; none where there is no driver."""

    def __init__(self) -> None:
        self._nvml: ModuleType | None = None
        self._handles: list[object] | None = None

    def read(self) -> tuple[Gpu, ...]:
        """Load of every GPU; one that can't be read is left out."""
        if self._handles is None:
            self._handles = self._open()
        readings = (self._read_one(handle) for handle in self._handles)
        return tuple(reading for reading in readings if reading is not None)

    def _open(self) -> list[object]:
        import pynvml  # noqa: PLC0415 - see the module's docstring

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as exc:
            logger.info("no GPU is watched: %s", exc)
            return []
        self._nvml = pynvml
        count = self._figure(pynvml.nvmlDeviceGetCount) or 0
        handles = (self._figure(pynvml.nvmlDeviceGetHandleByIndex, index) for index in range(count))
        return [handle for handle in handles if handle is not None]

    def _read_one(self, handle: object) -> Gpu | None:
        nvml = self._nvml
        if nvml is None:
            return None
        # Virtual and partitioned GPUs tell only some of these.
        memory = self._figure(nvml.nvmlDeviceGetMemoryInfo, handle)
        rates = self._figure(nvml.nvmlDeviceGetUtilizationRates, handle)
        temperature = self._figure(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
        if memory is None and rates is None:
            return None
        return Gpu(
            usage_percent=float(rates.gpu) if rates is not None else 0.0,
            used_bytes=memory.used if memory is not None else 0,
            total_bytes=memory.total if memory is not None else 0,
            temperature_c=None if temperature is None else float(temperature),
        )

    def _figure(self, read: Callable[..., Any], *arguments: object) -> Any:
        """One answer of the driver, None when it has none."""
        if self._nvml is None:
            return None
        try:
            return read(*arguments)
        except self._nvml.NVMLError as exc:
            logger.debug("the GPU driver does not tell %s: %s", getattr(read, "__name__", "a figure"), exc)
            return None

    def close(self) -> None:
        """Close NVML if it was opened."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml = None
            self._handles = None
