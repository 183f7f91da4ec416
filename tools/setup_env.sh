# Makes .venv in the repository root with the pins of requirements/pinned.txt and
# this project (editable), then activates it. For bash, to be sourced:
#
#     source tools/setup_env.sh
#
# PYTHON=/path/to/python picks the interpreter, 3.10 to 3.12. The first run takes
# minutes and about 7 GB, later ones a moment; the log is .venv/setup.log.

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

# What the environment was built from; differs from .venv/stamp when it is stale.
_mipnet_stamp() {
    cat requirements/pinned.txt pyproject.toml tools/setup_env.sh | cksum
    pwd -P
    "${PYTHON:-.venv/bin/python}" -V 2>&1
}

_mipnet_is_current() {
    [ -x .venv/bin/python ] && [ "$(_mipnet_stamp)" = "$(cat .venv/stamp 2>/dev/null)" ]
}

# uv is fast; pip comes to help where only pip knows the way to the index.
_mipnet_install() {
    local python=.venv/bin/python
    $python -m uv pip install --python $python --no-deps "$@" ||
        $python -m pip install --retries 1 --no-deps "$@"
}

_mipnet_build() {
    local python=.venv/bin/python
    "$1" -m venv .venv &&
        $python -m pip install --retries 2 --timeout 30 \
            "$(grep '^uv==' requirements/pinned.txt)" &&
        # xtcocotools' source names no build requirements: numpy, cython and
        # setuptools have to be there before it is built.
        grep -v '^xtcocotools' requirements/pinned.txt >.venv/first.txt &&
        _mipnet_install -r .venv/first.txt &&
        _mipnet_install --no-build-isolation -r requirements/pinned.txt -e . &&
        rm -rf .venv/tmp && _mipnet_stamp >.venv/stamp
}

# One line for a failed build, from what pip, uv or the compiler wrote.
_mipnet_explain() {
    local log=.venv/setup.log reason
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
    _mipnet_is_current && exit
    # One build at a time; where flock is missing the user has to see to that.
    if command -v flock >/dev/null && exec 9<. && ! flock -n 9; then
        _mipnet_say 'waiting for another setup of .venv to finish'
        flock 9
        _mipnet_is_current && exit
    fi
    python=$(_mipnet_find_python) || exit 1
    if [ ! -e .venv/setup.log ] && [ -n "$(ls -A .venv 2>/dev/null)" ]; then
        _mipnet_say "$PWD/.venv was not made by this script; move it away"
        exit 1
    fi
    # What an interrupted build left cannot be trusted: always start afresh. The log
    # stays, as the sign that this .venv is ours.
    export TMPDIR=$PWD/.venv/tmp
    if ! { mkdir -p .venv && : >.venv/setup.log &&
        find .venv -mindepth 1 -maxdepth 1 ! -name setup.log -exec rm -rf {} + &&
        mkdir "$TMPDIR"; } 2>/dev/null; then
        _mipnet_say "cannot write $PWD/.venv"
        exit 1
    fi
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "${free:-7}" -lt 7 ]; then
        _mipnet_say "no disk space: .venv needs 7 GB, $PWD has $free GB free"
        exit 1
    fi
    _mipnet_say "building .venv with $("$python" -V), a few minutes" \
        "(log: $PWD/.venv/setup.log)"
    if ! _mipnet_build "$python" >.venv/setup.log 2>&1 </dev/null; then
        _mipnet_explain
        exit 1
    fi
)

if [ -z "${BASH_VERSION:-}" ]; then
    echo 'setup: tools/setup_env.sh needs bash' >&2
    return 1
fi
_mipnet_setup || return 1
source "$(dirname -- "${BASH_SOURCE[0]}")/../.venv/bin/activate"
# Importing torch and MMPose without bytecode takes twice as long. Keep it in .venv,
# even where PYTHONDONTWRITEBYTECODE spares the source tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$VIRTUAL_ENV/pycache
