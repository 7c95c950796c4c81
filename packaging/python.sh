# Sourced by the scripts beside it: finds Python >= 3.11 with venv and makes a virtual environment with this checkout in it.
# Usage: . packaging/python.sh; prepare_environment DIR EXTRAS
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

prepare_environment() { # DIR EXTRAS
    environment=$1 extras=$2
    if ! python=$(find_python); then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "installing python3, python3-venv and python3-pip from Debian's packages ..."
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3 python3-venv python3-pip >/dev/null
            python=$(find_python) || { echo "this Debian has no Python 3.11 or newer: install one and set PYTHON=/path/to/python3" >&2; exit 69; }
        else
            echo "ralnode needs Python 3.11 or newer with venv and pip: apt-get install python3 python3-venv python3-pip" >&2
            exit 69
        fi
    fi
    stamp="$environment/.made-from"
    wanted="$(cksum <pyproject.toml) $extras $("$python" --version 2>&1)"
    if [ ! -x "$environment/bin/python" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "setting up $environment (once) ..."
        # What an earlier pyproject.toml wanted must not leak into an executable: that environment begins anew.
        if [ "$environment" = .venv-build ] || [ ! -x "$environment/bin/python" ]; then "$python" -m venv --clear "$environment"; fi
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".$extras"
        printf '%s' "$wanted" >"$stamp"
    fi
}
