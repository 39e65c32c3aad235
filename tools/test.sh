#!/usr/bin/env bash
# test.sh [--peers]: installs what is missing, builds the release preset, runs every test and prints the counts.
#   --peers   also the checks in tests/peers that compare with other programs, in a Python environment of their own
#             (SCRAWL_PEERS names one that is there already; otherwise .cache/peers is made)
# Tests that need real data sets read SCRAWL_DATA and are skipped without it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release
jobs=2

fail() {
  printf 'test: %s\n' "$@" >&2
  exit 1
}

peers=no
for argument in "$@"; do
  case $argument in
    --peers) peers=yes ;;
    *) fail "unknown argument $argument" "usage: test.sh [--peers]" ;;
  esac
done

# Prints the Python of the environment, made or renewed where the requirements changed.
peers_python() {
  if [[ -n ${SCRAWL_PEERS:-} ]]; then
    [[ -x $SCRAWL_PEERS/bin/python ]] || fail "SCRAWL_PEERS: expected a Python environment, got $SCRAWL_PEERS"
    echo "$SCRAWL_PEERS/bin/python"
    return
  fi
  local environment=$root/.cache/peers requirements=$root/tests/peers/requirements.txt
  if ! cmp -s "$requirements" "$environment/installed.txt"; then
    python3 -m venv "$environment" >&2 || fail "$environment could not be made"
    "$environment/bin/python" -m pip install --quiet --requirement "$requirements" >&2 ||
      fail "the packages of $requirements could not be installed: is the network reachable?"
    cp "$requirements" "$environment/installed.txt"
  fi
  echo "$environment/bin/python"
}

run_peers() {
  local python check failed=0 passed=0
  python=$(peers_python) || return 1
  for check in "$root"/tests/peers/*.py; do
    if "$python" "$check" "$build"; then
      passed=$((passed + 1))
    else
      echo "test: FAILED: $check" >&2
      failed=$((failed + 1))
    fi
  done
  echo "test: peers: $passed passed, $failed failed"
  ((failed == 0))
}

# The counts of ctest's report, whose first line is <testsuite ... tests="9" failures="0" disabled="0" skipped="1"
print_counts() {
  local report=$1 tests failed skipped
  count() { grep -m1 -oE "\b$1=\"[0-9]+\"" "$report" | grep -oE '[0-9]+'; }
  tests=$(count tests) failed=$(count failures) skipped=$(count skipped)
  echo "test: $((tests - failed - skipped)) passed, $failed failed, $skipped skipped"
}

also=()
if [[ $peers == yes && -z ${SCRAWL_PEERS:-} ]]; then also=(python3-venv); fi
"$root/tools/install.sh" "${also[@]}"
cd "$root"
cmake --preset release
cmake --build --preset release --parallel "$(nproc)"

status=0
rm -f "$build/tests.xml"
ctest --preset release --parallel $jobs --output-junit tests.xml || status=$?
[[ -f $build/tests.xml ]] || fail "ctest wrote no report"
print_counts "$build/tests.xml"
if [[ $peers == yes ]]; then run_peers || status=1; fi
exit $status
