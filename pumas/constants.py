"""Numbers and names of the original backend that the replacement keeps.

Names: the configuration name, or `<AREA>_<NAME>` for what was built into the code; the unit stands in the comment.
Source: `contract/config-constants.json`; `tests/contract/test_constants.py` compares each value and lists what is left out.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# AppConfig
GITHUB_REPO: Final = "comfyanonymous/ComfyUI"  # repository whose releases are offered for the default app [owner/name]
LOG_FILE_MAX_BYTES: Final = 10485760  # size at which launcher.log is rotated [bytes]
LOG_FILE_BACKUP_COUNT: Final = 5  # rotated log files kept [files]

# InstallationConfig
PIP_FALLBACK_TIMEOUT_SEC: Final = (
    900  # limit of the plain package install used by install_version_dependencies and before a launch [s]
)
VENV_CREATION_TIMEOUT_SEC: Final = 120  # limit for creating the virtual environment [s]
SUBPROCESS_QUICK_TIMEOUT_SEC: Final = 5  # limit for asking the interpreter version [s]
SUBPROCESS_STANDARD_TIMEOUT_SEC: Final = 30  # limit for package listing and the pip version probe [s]
SUBPROCESS_STOP_TIMEOUT_SEC: Final = 2  # wait for a cancelled install process after its group was signalled [s]
SUBPROCESS_KILL_TIMEOUT_SEC: Final = 1  # wait after the fallback kill of only the main process [s]
URL_FETCH_TIMEOUT_SEC: Final = 15  # limit of one package-index query made for constraints [s]
URL_QUICK_CHECK_TIMEOUT_SEC: Final = 3  # limit of one readiness request to the launched server [s]

# NetworkConfig
MAX_RETRIES: Final = 3  # tries of one archive download, the first included [attempts]
DOWNLOAD_REQUEST_TIMEOUT_SEC: Final = 30  # socket time limit of an archive download [s]
DOWNLOAD_PROGRESS_INTERVAL_SEC: Final = 0.5  # shortest time between two progress calls during a download [s]
DOWNLOAD_TEMP_SUFFIX: Final = ".part"  # added to the file name while it is incomplete
GITHUB_API_BASE: Final = "https://api.github.com"  # root of the release API [URL]
GITHUB_RELEASES_PER_PAGE: Final = 100  # page size asked for [releases]
GITHUB_RELEASES_MAX_PAGES: Final = 10  # most pages read [pages]
GITHUB_RELEASES_TTL_SEC: Final = 3600  # life of the release list in memory and on disk [s]

# PathsConfig
PIP_CACHE_DIR_NAME: Final = "pip"  # package cache directory under the cache directory
CONSTRAINTS_DIR_NAME: Final = "constraints"  # directory of per-tag constraints files under the cache directory
CONSTRAINTS_CACHE_FILENAME: Final = "constraints-cache.json"  # file that collects the constraints of all tags

# releases
# socket limit of one release page request [s]
RELEASES_LIST_TIMEOUT: Final = 10
# tries per page for network errors and statuses other than 400, 401, 403, 404 [attempts]
RELEASES_PAGE_ATTEMPTS: Final = 3
# wait before try n+1 is base to the power n (2, 4, ...) capped, plus jitter [s]
RELEASES_PAGE_BACKOFF: Final = MappingProxyType({"base": 2.0, "max": 30.0, "jitter": (0, 1)})
# fail at once [HTTP status]
RELEASES_NO_RETRY_STATUSES: Final = (400, 401, 403, 404)
# sent with release pages, downloads and size HEAD requests
RELEASES_USER_AGENT: Final = "ComfyUI-Version-Manager/1.0"
# sent with release pages only
RELEASES_ACCEPT: Final = "application/vnd.github.v3+json"
# repository of the second app [owner/name]
RELEASES_OLLAMA_REPO: Final = "ollama/ollama"

# download
# wait before the second and third try (2, 4) [s]
DOWNLOAD_BACKOFF: Final = MappingProxyType({"base": 2.0, "max": 60.0, "jitter": (0, 1)})
# retried [HTTP status]
DOWNLOAD_RETRY_STATUSES: Final = (408, 429, 500, 502, 503, 504)

# install
# share of each stage in the overall percentage [share]
INSTALL_STAGE_WEIGHTS: Final = MappingProxyType(
    {"download": 0.15, "extract": 0.05, "venv": 0.05, "dependencies": 0.7, "setup": 0.05}
)
# weight of a package in the package stage [weight]
INSTALL_PACKAGE_WEIGHTS: Final = MappingProxyType(
    {
        "torch": 15,
        "torchvision": 5,
        "torchaudio": 3,
        "tensorflow": 12,
        "tensorflow-gpu": 15,
        "opencv-python": 4,
        "opencv-contrib-python": 6,
        "opencv-python-headless": 4,
        "scipy": 3,
        "pandas": 2,
        "matplotlib": 2,
        "scikit-learn": 3,
        "scikit-image": 3,
        "transformers": 3,
        "diffusers": 2,
        "accelerate": 2,
        "xformers": 4,
        "onnxruntime": 4,
        "onnxruntime-gpu": 5,
        "_default": 1,
    }
)
# shortest time between two input/output samples of the installer [s]
INSTALL_IO_SAMPLE_INTERVAL: Final = 0.75
# between SIGTERM and SIGKILL to the installer's process group [s]
INSTALL_CANCEL_GRACE: Final = 0.5
# installed into every ComfyUI environment besides its requirements [packages]
INSTALL_GLOBAL_PACKAGES: Final = ("setproctitle",)
# progress files in the cache directory
INSTALL_STATE_FILES: Final = MappingProxyType(
    {"comfyui": "installation-state.json", "ollama": "installation-state-ollama.json"}
)
# comment line (any case) after which requirements are optional [prefix]
INSTALL_OPTIONAL_MARKER: Final = "#non essential dependencies"

# launch
# limit of waiting for the first 200 answer [s]
LAUNCH_READY_TIMEOUT: Final = 90
# wait between two readiness requests [s]
LAUNCH_READY_BACKOFF: Final = MappingProxyType({"base": 0.5, "max": 5.0, "jitter": (0, 1)})
# always passed to main.py [argument]
LAUNCH_FIXED_ARGUMENT: Final = "--enable-manager"
# log lines written to the launcher log after a failed start [lines]
LAUNCH_TAIL_LINES: Final = 20
# in the version directory and, for the old layout, in the parent of the launcher root [file]
LAUNCH_PID_FILE: Final = "comfyui.pid"

# stop
# between SIGTERM and SIGKILL to each detected process [s]
STOP_GRACE: Final = 0.5

# monitor
# life of per-process numbers and of the GPU process table [s]
MONITOR_PROCESS_CACHE_TTL: Final = 2.0

# sizes
# limit of a HEAD request for a size [s]
SIZES_HEAD_TIMEOUT: Final = 10
# archive size assumed when HEAD gives nothing (125 MiB) [bytes]
SIZES_ARCHIVE_FALLBACK: Final = 131072000
# limit of the dry-run resolver [s]
SIZES_RESOLVER_TIMEOUT: Final = 600
# limit of fetching requirements.txt of a tag [s]
SIZES_REQUIREMENTS_TIMEOUT: Final = 10
# limit of a package-index query for a size [s]
SIZES_INDEX_TIMEOUT: Final = 10
# sent with requirements and package-index size queries
SIZES_REQUIREMENTS_USER_AGENT: Final = "ComfyUI-Launcher"
# caches in the cache directory [file]
SIZES_FILES: Final = ("release-requirements.json", "release-sizes.json", "package-sizes.json")

# limits
# install_version, all apps together [per minute]
LIMITS_INSTALL: Final = MappingProxyType({"calls": 3, "seconds": 60})
# remove_version, all apps together [per minute]
LIMITS_REMOVE: Final = MappingProxyType({"calls": 5, "seconds": 60})
# cancel_installation, all apps together [per minute]
LIMITS_CANCEL: Final = MappingProxyType({"calls": 10, "seconds": 60})

# updates
# repository asked for launcher updates [owner/name]
UPDATES_REPOSITORY: Final = "MrScripty/Pumas-Library"
# commits asked for [commits]
UPDATES_PAGE: Final = 10
# life of launcher-update-check.json unless forced [s]
UPDATES_CACHE_LIFE: Final = 3600
# limit of the commit request [s]
UPDATES_CHECK_TIMEOUT: Final = 10

# version_info
# limit of the latest-release request of the status version text [s]
VERSION_INFO_LATEST_TIMEOUT: Final = 5

# custom_nodes
# limit of git clone [s]
CUSTOM_NODES_CLONE_TIMEOUT: Final = 300
# limit of git pull and of git fetch in the cache [s]
CUSTOM_NODES_PULL_TIMEOUT: Final = 60

# shortcuts
# PNG icons installed [px]
SHORTCUTS_ICON_SIZES: Final = (256, 128, 64, 48)
# longest label on a version icon [characters]
SHORTCUTS_LABEL_LENGTH: Final = 12
# limit of the icon cache and icon resource tools [s]
SHORTCUTS_CACHE_UPDATE_TIMEOUT: Final = 5

# network_status
# failure count and seconds used for the network status answer
NETWORK_STATUS_CIRCUIT: Final = MappingProxyType({"failures": 3, "recovery": 60.0})
