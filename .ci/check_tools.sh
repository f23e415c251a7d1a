#!/bin/sh
# Names each tool that building Pumas needs and that is missing, one line each; exit code 1 when one is.
#
#   check_tools.sh [run|test]             for people; `test` wants rustfmt and clippy too
#   check_tools.sh [run|test] --packages  the Debian packages that bring what is missing, for .ci/run
#
# Plain sh, because Python may be what is missing. PYTHON names another interpreter than python3.
set -u
level=${1:-run}
form=${2:-}
python=${PYTHON:-python3}
manifest=$(dirname "$0")/../_native/Cargo.toml
missing=0

need() { # need WHAT-AND-HOW PACKAGE...
    missing=1
    if [ "$form" = --packages ]; then
        shift
        printf '%s\n' "$@"
    else
        printf 'make: pumas needs %s\n' "$1" >&2
    fi
}

# Whether version $1 is at least $2 (major.minor counts).
is_at_least() {
    printf '%s %s\n' "$1" "$2" | awk '{ split($1, a, "."); split($2, b, "."); exit !(a[1] > b[1] || (a[1] == b[1] && a[2] + 0 >= b[2] + 0)) }'
}

# Debian splits off ensurepip (python3-venv) and the headers (python3-dev); one start of Python looks for all three.
lacks='import importlib.util, os, sys, sysconfig
print(*[name for name, is_there in {
    "version": sys.version_info >= (3, 11),
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "headers": os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
}.items() if not is_there])'
if ! found=$("$python" -c "$lacks" 2>/dev/null); then
    need "python3: install Python 3.11 or newer, or name one: make PYTHON=python3.12" python3 python3-venv python3-dev
else
    case "$found" in *version*)
        need "python3 >= 3.11: $python is older; name another: make PYTHON=python3.12" python3 python3-venv python3-dev ;;
    esac
    case "$found" in *venv*) need "python3 venv: install the venv module of $python (Debian: python3-venv)" python3-venv ;; esac
    case "$found" in *headers*) need "python3 headers: install Python.h of $python (Debian: python3-dev)" python3-dev ;; esac
fi

command -v "${CC:-cc}" >/dev/null 2>&1 || need "a C compiler: install one as cc, or set CC (Debian: build-essential)" build-essential
command -v make >/dev/null 2>&1 || need "make: install it (Debian: make)" make
command -v git >/dev/null 2>&1 || need "git: install it (Debian: git)" git

rust_packages=cargo
[ "$level" = run ] || rust_packages="cargo rustfmt rust-clippy"
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$manifest")
if ! cargo_version=$(cargo --version 2>/dev/null | awk '{ print $2 }') || [ -z "$cargo_version" ]; then
    # shellcheck disable=SC2086 # one word is one package
    need "cargo: install Rust $oldest or newer" $rust_packages
elif ! is_at_least "$cargo_version" "$oldest"; then
    # shellcheck disable=SC2086
    need "cargo >= $oldest: the one found is $cargo_version" $rust_packages
elif [ "$level" = test ]; then
    cargo fmt --version >/dev/null 2>&1 || need "cargo fmt: install rustfmt for the cargo found" rustfmt
    cargo clippy --version >/dev/null 2>&1 || need "cargo clippy: install clippy for the cargo found" rust-clippy
fi
exit "$missing"
