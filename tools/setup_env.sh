# Makes .venv in the repository root with the pins of requirements/pinned.txt and
# this project (editable), then activates it. For bash, to be sourced:
#
#     source tools/setup_env.sh
#
# PYTHON=/path/to/python picks the interpreter, 3.10 to 3.12. MIPNET_TORCH=2.1 makes
# .venv-torch2.1 instead, with what requirements/torch2.1.txt names. The first run
# takes minutes and about 7 GB, later ones a moment; the log is setup.log in there.

_mipnet_venv=.venv${MIPNET_TORCH:+-torch$MIPNET_TORCH}

_mipnet_say() { echo "setup: $*" >&2; }

# Prints the first usable interpreter. 3.11 and 3.10 come first because every pin
# has a wheel there; on 3.12 xtcocotools is compiled, and on 3.13
# it cannot be.
_mipnet_find_python() {
    local version candidate found='' pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions
    for version in 3.11 3.10 3.12; do
        for candidate in "python$version" python3 python "$pyenv/$version".*/bin/python
        do
            [ -n "${PYTHON:-}" ] && candidate=$PYTHON
            [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' \
                2>/dev/null)" = "$version" ] || continue
            "$candidate" -c 'import ensurepip, venv' 2>/dev/null &&
                echo "$candidate" && return
            found=$candidate
        done
    done
    if [ -n "$found" ]; then
        _mipnet_say "$found has no venv module; install it" \
            "(Debian: apt install python3-venv) or set PYTHON"
    else
        _mipnet_say "no Python 3.10, 3.11 or 3.12 found${PYTHON:+ at $PYTHON};" \
            'install one or set PYTHON=/path/to/python'
    fi
    return 1
}

# The pins, with another torch and what it needs where MIPNET_TORCH asks for one.
_mipnet_pins() {
    if [ -z "${MIPNET_TORCH:-}" ]; then
        cat requirements/pinned.txt
    else
        local others=requirements/torch$MIPNET_TORCH.txt names
        names=$(sed -n 's/==.*//p' "$others" | paste -sd'|' -)
        grep -vE "^(triton|nvidia-|cuda-|($names)==)" requirements/pinned.txt &&
            cat "$others"
    fi
}

# What the environment was built from; differs from its stamp when it is stale.
_mipnet_stamp() {
    { _mipnet_pins && cat pyproject.toml tools/setup_env.sh; } | cksum
    pwd -P
    "${PYTHON:-$_mipnet_venv/bin/python}" -V 2>&1
}

_mipnet_is_current() {
    [ -x $_mipnet_venv/bin/python ] && [ "$(_mipnet_stamp)" = "$(cat $_mipnet_venv/stamp 2>/dev/null)" ]
}

# uv is fast; pip comes to help where only pip knows the way to the index.
_mipnet_install() {
    local python=$_mipnet_venv/bin/python
    $python -m uv pip install --python $python --no-deps "$@" ||
        $python -m pip install --retries 1 --no-deps "$@"
}

_mipnet_build() {
    local python=$_mipnet_venv/bin/python
    "$1" -m venv $_mipnet_venv &&
        $python -m pip install --retries 2 --timeout 30 \
            "$(grep '^uv==' requirements/pinned.txt)" &&
        # xtcocotools' source names no build requirements: numpy, cython and
        # setuptools have to be there before it is built.
        _mipnet_pins >$_mipnet_venv/pins.txt &&
        grep -v '^xtcocotools' $_mipnet_venv/pins.txt >$_mipnet_venv/first.txt &&
        _mipnet_install -r $_mipnet_venv/first.txt &&
        _mipnet_install --no-build-isolation -r $_mipnet_venv/pins.txt -e . &&
        rm -rf $_mipnet_venv/tmp && _mipnet_stamp >$_mipnet_venv/stamp
}

# One line for a failed build, from what pip, uv or the compiler wrote.
_mipnet_explain() {
    local log=$_mipnet_venv/setup.log reason
    if grep -qi 'no space left' $log; then
        reason='no disk space left'
    elif grep -qiE "command '[^']*(cc|clang)[^']*' failed|Python\.h" $log; then
        reason='no C compiler or Python headers for xtcocotools; install them or use Python 3.11'
    elif grep -qiE 'connection|resolve host|name resolution|dns error|timed out|unreachable|error sending request|proxy' \
        $log; then
        reason='no network: the package index could not be reached'
    else
        reason=$(grep -iE 'error|failed' $log | tail -n 1)
    fi
    _mipnet_say "${reason:-installation failed} (log: $PWD/$log)"
}

_mipnet_setup() (
    cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 1
    unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX UV_SYSTEM_PYTHON
    export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1
    if [ -n "${MIPNET_TORCH:-}" ] && [ ! -f "requirements/torch$MIPNET_TORCH.txt" ]; then
        _mipnet_say "no pins for torch $MIPNET_TORCH: requirements/torch$MIPNET_TORCH.txt"
        exit 1
    fi
    _mipnet_is_current && exit
    # One build at a time; where flock is missing the user has to see to that.
    if command -v flock >/dev/null && exec 9<. && ! flock -n 9; then
        _mipnet_say "waiting for another setup of $_mipnet_venv to finish"
        flock 9
        _mipnet_is_current && exit
    fi
    python=$(_mipnet_find_python) || exit 1
    if [ ! -e $_mipnet_venv/setup.log ] && [ -n "$(ls -A $_mipnet_venv 2>/dev/null)" ]; then
        _mipnet_say "$PWD/$_mipnet_venv was not made by this script; move it away"
        exit 1
    fi
    # What an interrupted build left cannot be trusted: always start afresh. The log
    # stays, as the sign that this .venv is ours.
    export TMPDIR=$PWD/$_mipnet_venv/tmp
    if ! { mkdir -p $_mipnet_venv && : >$_mipnet_venv/setup.log &&
        find $_mipnet_venv -mindepth 1 -maxdepth 1 ! -name setup.log -exec rm -rf {} + &&
        mkdir "$TMPDIR"; } 2>/dev/null; then
        _mipnet_say "cannot write $PWD/$_mipnet_venv"
        exit 1
    fi
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "${free:-7}" -lt 7 ]; then
        _mipnet_say "no disk space: $_mipnet_venv needs 7 GB, $PWD has $free GB free"
        exit 1
    fi
    _mipnet_say "building $_mipnet_venv with $("$python" -V), a few minutes" \
        "(log: $PWD/$_mipnet_venv/setup.log)"
    if ! _mipnet_build "$python" >$_mipnet_venv/setup.log 2>&1 </dev/null; then
        _mipnet_explain
        exit 1
    fi
)

if [ -z "${BASH_VERSION:-}" ]; then
    echo 'setup: tools/setup_env.sh needs bash' >&2
    return 1
fi
_mipnet_setup || return 1
source "$(dirname -- "${BASH_SOURCE[0]}")/../$_mipnet_venv/bin/activate"
# Importing torch and MMPose without bytecode takes twice as long. Keep it there,
# even where PYTHONDONTWRITEBYTECODE spares the source tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$VIRTUAL_ENV/pycache
