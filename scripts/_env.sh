# Sourced by the other scripts: makes .venv ready (once per pyproject.toml + constraints.txt) and sets the JAX
# environment. Leaves the shell in the repository root with $py set to the environment's Python.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
py="$root/.venv/bin/python"

find_python() {
  for candidate in ${QSPX_PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
    # Runs it: a name on PATH may be a shim without an interpreter behind it, or lack the venv module.
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  echo "qspx needs Python 3.11 or newer with the venv module, and none was found on PATH." >&2
  echo "Install one (https://www.python.org/downloads/), or name it: QSPX_PYTHON=/path/to/python3 $0" >&2
  exit 1
}

set_up() {
  stamp="$root/.venv/.qspx-setup"
  # The place is part of the stamp: an environment does not survive being moved.
  wanted="$root $(cat pyproject.toml constraints.txt | cksum)"
  if [ -x "$py" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  case "$(cat "$stamp" 2>/dev/null || echo "$root ")" in
    "$root "*) ;;
    *) rm -rf .venv ;;
  esac
  if ! "$py" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    rm -rf .venv
    base=$(find_python)
    echo "Creating .venv with $("$base" --version)"
    "$base" -m venv .venv
  fi
  echo "Installing qspx and its dependencies into .venv (about 1 GB, once)"
  "$py" -m pip install --quiet --disable-pip-version-check -e ".[dev]" -c constraints.txt
  printf '%s' "$wanted" >"$stamp"
}

set_up
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$root/.cache/jax}"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="${JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS:-0.5}"
# Without it, equinox's run-time checks are host callbacks, and jax does not cache programs that hold one.
export EQX_ON_ERROR="${EQX_ON_ERROR:-nan}"
