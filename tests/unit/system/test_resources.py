from __future__ import annotations

import os
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest

from pumas.errors import Unavailable
from pumas.models import Gpu
from pumas.system.resources import NvmlGpus, ResourceSampler, disk_space


def test_a_sample_has_sensible_figures(tmp_path):
    sampler = ResourceSampler(tmp_path)
    sample = sampler.sample()
    assert 0 <= sample.cpu_percent <= 100
    assert 0 < sample.ram_used_percent <= 100
    assert sample.ram_total_bytes > 2**28
    assert sample.disk.total_bytes >= sample.disk.free_bytes > 0
    sampler.close()


def test_callers_share_a_sample_for_half_a_second(tmp_path):
    sampler = ResourceSampler(tmp_path)
    samples = []
    threads = [threading.Thread(target=lambda: samples.append(sampler.sample())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(samples) == 20
    assert len({id(sample) for sample in samples}) <= 2
    sampler.close()


def test_a_drive_that_is_gone_is_told(tmp_path):
    with pytest.raises(Unavailable, match="drive"):
        disk_space(tmp_path / "none")


def test_space_is_that_of_the_folders_file_system(tmp_path):
    status = os.statvfs(tmp_path)
    assert disk_space(tmp_path).total_bytes == status.f_blocks * status.f_frsize


class _Driver:
    """NVML as its Python module shows it: two GPUs, of which the second has fallen off the bus."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there
        self.opened = 0
        self.has_sensor = True

    def nvmlInit(self) -> None:  # noqa: N802 - the driver's names
        if not self.is_there:
            raise self.NVMLError("Driver Not Loaded")
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        if handle == 1:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(used=2 * 2**30, total=24 * 2**30)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:  # noqa: N802
        if handle == 1:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(gpu=37)

    def nvmlDeviceGetTemperature(self, _: int, __: int) -> int:  # noqa: N802
        if not self.has_sensor:
            raise self.NVMLError("Not Supported")
        return 61


def test_gpus_are_read_through_the_driver_and_a_lost_one_is_left_out(monkeypatch):
    driver = _Driver(is_there=True)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    gpus = NvmlGpus()
    for _ in range(2):
        (gpu,) = gpus.read()
        assert gpu == Gpu(usage_percent=37.0, used_bytes=2 * 2**30, total_bytes=24 * 2**30, temperature_c=61.0)
    assert driver.opened == 1
    gpus.close()
    assert driver.opened == 0


def test_without_a_driver_there_are_no_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", _Driver(is_there=False))
    gpus = NvmlGpus()
    assert gpus.read() == ()
    gpus.close()


def test_a_gpu_that_does_not_tell_everything_is_shown_all_the_same(monkeypatch):
    driver = _Driver(is_there=True)
    driver.has_sensor = False
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    (gpu,) = NvmlGpus().read()
    assert (gpu.total_bytes, gpu.temperature_c) == (24 * 2**30, None)


def test_the_load_is_that_since_the_last_sample_whatever_thread_asks(tmp_path):
    sampler = ResourceSampler(tmp_path)
    sampler.sample()
    before = psutil.cpu_times()
    sampler._taken_at = 0.0
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass  # one core is busy
    samples: list[float] = []
    thread = threading.Thread(target=lambda: samples.append(sampler.sample().cpu_percent))
    thread.start()
    thread.join()
    after = psutil.cpu_times()
    busy = 1 - (after.idle - before.idle) / (sum(after) - sum(before))
    assert samples[0] == pytest.approx(100 * busy, abs=35)
    assert samples[0] > 20 / (os.cpu_count() or 1)
    sampler.close()
