from __future__ import annotations

import os
import threading

import pytest

from pumas.errors import Unavailable
from pumas.system.resources import ResourceSampler, disk_space


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
