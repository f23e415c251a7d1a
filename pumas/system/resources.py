"""Load of the machine: one shared sample, taken at most twice a second.

psutil and NVML are loaded with the first sample, not before: the server announces itself without them.
"""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path
from time import monotonic
from types import ModuleType

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
        self._psutil: ModuleType | None = None
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

        interval = _FIRST_SAMPLE_S if self._psutil is None else None
        self._psutil = psutil
        with system_errors("Reading the machine's load"):
            cpu = psutil.cpu_percent(interval=interval)
            memory = psutil.virtual_memory()
        return Resources(
            cpu_percent=round(cpu, 1),
            ram_used_percent=round(100 * (memory.total - memory.available) / memory.total, 1),
            ram_total_bytes=memory.total,
            gpus=self._gpus.read(),
            disk=disk_space(self._root),
        )

    def close(self) -> None:
        """Let go of the GPU driver."""
        self._gpus.close()


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
            count = pynvml.nvmlDeviceGetCount()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except pynvml.NVMLError as exc:
            logger.info("no GPU is watched: %s", exc)
            return []
        self._nvml = pynvml
        return handles

    def _read_one(self, handle: object) -> Gpu | None:
        nvml = self._nvml
        if nvml is None:
            return None
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            usage = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
            temperature = nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        except nvml.NVMLError as exc:
            logger.debug("a GPU can't be read: %s", exc)
            return None
        return Gpu(
            usage_percent=float(usage),
            used_bytes=memory.used,
            total_bytes=memory.total,
            temperature_c=float(temperature),
        )

    def close(self) -> None:
        """Close NVML if it was opened."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml = None
            self._handles = None
