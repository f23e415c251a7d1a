"""Drive, status line, GPU figures."""

from __future__ import annotations

import msgspec
import pytest
from support.cases import apps_cases, check

from pumas.models import AppLoad, DiskSpace, Gpu
from pumas.rpc.wrapping import disk_space_response, gpu_load, status_response
from pumas.system.status import compose_status

_MIB = 1024 * 1024


@pytest.mark.parametrize(("case_id", "case"), apps_cases("disk_space"))
def test_disk_space(case_id, case):
    total, used, free = case["input"]
    space = DiskSpace(total_bytes=total, used_bytes=used, free_bytes=free)
    check(case_id, case["expected"], msgspec.to_builtins(disk_space_response(space)))


@pytest.mark.parametrize(("case_id", "case"), apps_cases("status_message"))
def test_status_message(case_id, case):
    given = case["input"]
    # The recorded figures are sums over two servers.
    servers = [
        AppLoad(cpu_percent=12.5, ram_gib=1.25, gpu_gib=0.5),
        AppLoad(cpu_percent=7.6, ram_gib=1.22, gpu_gib=0.5),
    ]
    status = compose_status(
        active_version=given["active"],
        latest_release=None,
        missing_tools=given["missing"],
        running={"comfyui": servers if given["running"] else []},
        is_patched=given["patched"],
        has_menu_shortcut=given["menu"],
        has_desktop_shortcut=given["desktop"],
    )
    ours = msgspec.to_builtins(status_response(status))
    check(case_id, case["expected"], {key: ours[key] for key in case["expected"]})


@pytest.mark.parametrize(("case_id", "case"), apps_cases("gpu_summary"))
def test_gpu_summary(case_id, case):
    """The recorded lines of the driver's tool, given as NVML readings; a line that is no reading is no GPU."""
    _, text = case["input"]
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and all(field.isdigit() for field in fields):
            usage, used, total = map(int, fields)
            gpus.append(Gpu(usage_percent=usage, used_bytes=used * _MIB, total_bytes=total * _MIB))
    ours = {"temp": None, **msgspec.to_builtins(gpu_load(gpus))}
    check(case_id, case["expected"], ours)
