#!/usr/bin/env bash
# gpu_check.sh: everything that waits for a GPU, most important first, on a machine where nothing can be installed.
#   gpu_check.sh bundle FILE.tar.gz [--build DIR]   builds for GPUs and packs programs, libraries and scripts
#   gpu_check.sh run [--seconds N] [--out DIR] [--only PART] [--every N] [--jobs N] [--device NAME] [--build DIR]
#       in a bundle or a checkout. PART: facts, tests, sanitizers or peers; all by default. --seconds: stop then (540).
#       --every: sanitizers run each Nth case (23). --device simt tries this script out where there is no GPU.
# Results are in DIR (default build/gpu_check_results) as soon as they are there: summary.txt, a row a step, and a log a part.
# Exit status 0 only if nothing failed. Without a GPU each step is skipped, and says why.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=build/gpu_check

fail() {
  printf 'gpu_check: %s\n' "$@" >&2
  exit 2
}
usage() { fail "$@" "$(sed -n '3,6s/^# *//p' "${BASH_SOURCE[0]}")"; }

# ---- bundle

most_bytes=$((64 << 20))

# The libraries of a program that a machine may lack: all but the C library's.
libraries_of() {
  ldd "$1" | awk '/not found/ {print "missing:" $1} $2 == "=>" && $3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' || true
}

bundle() {
  local archive=$1 file name bytes
  local targets=(scrawl gpu_checks)
  cd "$root"
  # Runs on any x86-64 processor; programs find their libraries beside them, and these theirs.
  # shellcheck disable=SC2016  # the loader expands $ORIGIN
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSCRAWL_CUDA=ON -DSCRAWL_NATIVE=OFF -DSCRAWL_WERROR=ON \
    -DCMAKE_BUILD_RPATH='$ORIGIN/../lib;$ORIGIN/../../lib' -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
  cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}"

  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  local top=$stage/scrawl_gpu_check
  local packed=$top/build/gpu_check  # where run() looks
  mkdir -p "$top"/{tools,bench,models} "$packed"/lib/fallback
  cp tools/gpu_check.sh "$top/tools/"
  cp -r bench/peers bench/HARDWARE.md "$top/bench/"
  cp -r models/recipes "$top/models/"  # the peers' networks
  find "$top" -name __pycache__ -prune -exec rm -rf {} +
  (git describe --always --dirty 2>/dev/null || echo unknown) > "$top/COMMIT"
  for name in "${targets[@]}"; do
    file=$(find "$build" -type f -name "$name" -perm -u+x)
    mkdir -p "$packed/$(dirname "${file#"$build"/}")"
    strip -o "$packed/${file#"$build"/}" "$file"
    libraries_of "$file"
  done | sort -u > "$stage/libraries"
  if grep '^missing:' "$stage/libraries"; then fail "the programs need libraries that are not here"; fi
  while read -r file; do
    case $file in
      # A machine's own is newer as a rule, and what it loads may need that one.
      */libstdc++.so* | */libgcc_s.so*) cp -L "$file" "$packed/lib/fallback/" ;;
      *) cp -L "$file" "$packed/lib/" ;;
    esac
  done < "$stage/libraries"
  strip --strip-unneeded "$packed"/lib/*.so* "$packed"/lib/fallback/*.so*
  mkdir -p "$(dirname "$archive")"
  tar -C "$stage" -czf "$archive" scrawl_gpu_check
  bytes=$(stat -c %s "$archive")
  ((bytes < most_bytes)) || fail "$archive: expected fewer than $most_bytes bytes, got $bytes"
  awk -v f="$archive" -v b="$bytes" 'BEGIN {printf "gpu_check: %s: %.1f MiB\n", f, b / 1048576}'
}

# ---- run

parts=(facts tests sanitizers peers)
tools=(memcheck racecheck synccheck initcheck)
declare -A plants=([memcheck]=write_beyond_memory [racecheck]=race_in_shared_memory [synccheck]=divergent_barrier
  [initcheck]=read_of_unwritten_memory)

left() { echo $((deadline - $(date +%s))); }

# row STEP STATE SECONDS DETAIL
row() {
  printf '%-31s %-8s %4s s  %s\n' "$@" | tee -a "$out/summary.txt"
  if [[ $2 == FAILED ]]; then failed=1; fi
}

# Runs a test in a process of its own: what one breaks on the GPU, the next must not meet. For each_test.
one() {
  local test=$1 seconds status=0 state=failed log
  seconds=$((stop - $(date +%s)))
  if ((seconds < 3)); then
    echo "not_run $test" >> "$results"
    return
  fi
  log=$(mktemp "$work/log.XXXXXX")
  # shellcheck disable=SC2086  # the prefix is words
  timeout -k 5 $((seconds < limit ? seconds : limit)) $prefix "$checks" --gtest_filter="$test" \
    > "$log" 2>&1 < /dev/null || status=$?
  if ((status == 124 || status == 137)); then
    state=$( ((seconds < limit)) && echo not_run || echo out_of_time)
  elif [[ -n $prefix ]] && grep 'SUMMARY:' "$log" | grep -qv 'SUMMARY: 0 '; then
    state=reported
  elif [[ -n $prefix ]] && ! grep -q 'SUMMARY:' "$log"; then
    state=failed  # the sanitizer did not come to its end
  elif ((status != 0)); then
    state=failed
  elif grep -q '^\[  SKIPPED \]' "$log"; then
    state=skipped
  elif grep -q '^\[  PASSED  \] 1 test\.' "$log"; then
    state=passed
  fi
  {
    flock 9
    echo "$state $test" >> "$results"
    echo "==== $state, exit status $status: $prefix $checks --gtest_filter='$test'"
    grep -v 'of the allowed error$' "$log" | awk -v most="$([[ $state == passed ]] && echo 5 || echo 100)" \
      '{lines[NR] = $0} END {for (i = 1; i <= NR; ++i) if (i <= most || i > NR - most) print lines[i]}'
  } 9>> "$work/lock" >> "$log_file"
  rm -f "$log"
}

# names_of FILTER: of the tests that it lets through.
names_of() {
  "$checks" --gtest_list_tests --gtest_filter="$1" 2>> "$log_file" |
    awk '/^[^ ].*\.( |$)/ {suite = $1; next} /^  / {print suite $1}'
}

# each_test FILTER: one() for each, some at a time.
each_test() {
  : > "$results"
  names_of "$1" > "$work/todo"
  export -f one
  export checks log_file limit stop prefix results work
  xargs -r -P "$jobs" -n 1 bash -c 'one "$@"' one < "$work/todo"
}

count_of() { grep -cE "^($1) " "$results" || true; }

# "41 passed, 1 failed: Softmax.backward/cuda"
counts() {
  local state n text="" names
  for state in passed failed reported out_of_time skipped not_run; do
    n=$(count_of $state)
    if ((n > 0)); then text+="${text:+, }$n ${state//_/ }"; fi
  done
  names=$({ grep -E '^(failed|reported|out_of_time) ' "$results" || true; } | sed -n 1,3p | cut -d' ' -f2 | paste -sd' ')
  echo "${text:-no test ran}${names:+: $names}"
}

# Why tests were skipped, from line $1 of the log: "cuda lacks lstm_forward".
skip_reasons() {
  tail -n +"$1" "$log_file" | awk '/: Skipped$/ {getline; print}' | sort -u | cut -c1-70 | sed -n 1,3p | paste -sd'|' |
    sed 's/|/; /g'
}

facts() {
  local start tool
  start=$(date +%s)
  {
    echo "commit: $commit"
    echo "system: $(uname -sr), $(nproc) processors"
    "$scrawl" devices
    nvidia-smi --format=csv --query-gpu="name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,\
clocks.max.mem,power.limit,temperature.gpu,ecc.mode.current"
    for tool in nvcc ncu compute-sanitizer; do
      echo "$tool: $({ "$tool" --version 2> /dev/null || true; } | grep -iE 'release|version' | tail -1)"
    done
    "$python" -c 'import torch; print("torch:", torch.__version__, "sees a GPU:", torch.cuda.is_available())'
  } > "$out/facts.txt" 2>&1 || true
  row facts "$([[ -z $no_gpu ]] && echo passed || echo skipped)" $(($(date +%s) - start)) "${no_gpu:-$gpu}"
}

# A row a suite: Gpu and OnDevice first, then the building blocks, then the kernels.
tests() {
  local filter="*/$device:Gpu.*" suite start state line skips
  log_file=$out/tests.txt limit=120 stop=$deadline prefix=
  : > "$log_file"
  for suite in $(names_of "$filter" | sed -E 's#^on/##; s#\..*##' | awk '!seen[$0]++ {
      print /^(Gpu|OnDevice|Block|PlantedFault)$/ ? 0 : 1, $0}' | sort -s -n -k1,1 | cut -d' ' -f2); do
    start=$(date +%s) line=$(($(wc -l < "$log_file") + 1))
    each_test "on/$suite.*/$device:$suite.*"
    skips=$(skip_reasons "$line")
    if (($(count_of 'failed|out_of_time') > 0)); then state=FAILED
    elif (($(count_of passed) > 0)); then state=passed
    elif (($(count_of not_run) > 0)); then state='not run'
    else state=skipped; fi
    if [[ $state == skipped ]]; then row "tests: $suite" "$state" $(($(date +%s) - start)) "$skips"
    else row "tests: $suite" "$state" $(($(date +%s) - start)) "$(counts)${skips:+ ($skips)}"; fi
  done
  if [[ -n $no_gpu ]]; then row "tests: building blocks, kernels" skipped 0 "$no_gpu"; fi
}

# One tool over each Nth case; first over a kernel with the fault that it must see.
sanitize() {
  local tool=$1 start state
  start=$(date +%s)
  prefix="env SCRAWL_GUARDS=0 SCRAWL_EVERY=$every $sanitizer --tool $tool --print-limit 10 --error-exitcode 99"
  each_test "*PlantedFault.${plants[$tool]}/$device"
  if (($(count_of not_run) > 0)); then
    row "sanitizers: $tool" 'not run' 0 "out of time"
    return
  elif (($(count_of reported) == 0)); then
    row "sanitizers: $tool" skipped $(($(date +%s) - start)) "it does not see a planted fault here: $(counts)"
    return
  fi
  each_test "*/$device-*PlantedFault.*:*OnDevice.*"
  if (($(count_of 'failed|reported|out_of_time') > 0)); then state=FAILED
  elif (($(count_of passed) > 0)); then state=passed
  else state='not run'; fi
  row "sanitizers: $tool" "$state" $(($(date +%s) - start)) "the planted fault is seen; each ${every}th case: $(counts)"
}

sanitizers() {
  local i tool share
  log_file=$out/sanitizers.txt limit=60
  : > "$log_file"
  sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer || true)
  for i in "${!tools[@]}"; do
    tool=${tools[i]}
    # The first gets most, and the peers something.
    share=$(($(left) / (i == 0 ? 2 : ${#tools[@]} - i + (${#chosen[@]} > 1))))
    stop=$(($(date +%s) + share))
    if [[ -n $no_gpu ]]; then row "sanitizers: $tool" skipped 0 "$no_gpu"
    elif [[ -z $sanitizer ]]; then row "sanitizers: $tool" skipped 0 "there is no compute-sanitizer"
    else sanitize "$tool"; fi
  done
}

peers() {
  local start status=0 seconds json=$out/measure_first.json rows
  start=$(date +%s) seconds=$(left)
  if [[ -n $no_gpu ]]; then row peers skipped 0 "$no_gpu"; return; fi
  if ! "$python" -c 'import torch' 2> /dev/null; then row peers skipped 0 "$python has no torch"; return; fi
  if ((seconds < 45)); then row peers 'not run' 0 "out of time"; return; fi
  timeout -k 5 "$seconds" "$python" bench/peers/measure_first.py --device "${device/simt/cpu}" --json "$json" \
    --minutes "$(awk -v s="$seconds" 'BEGIN {print (s - 30) / 60}')" > "$out/peers.txt" 2>&1 < /dev/null || status=$?
  rows=$({ grep -c '"name":' "$json" || true; } 2> /dev/null)
  if ((status != 0 && status != 124)) || ((${rows:-0} == 0)); then
    row peers FAILED $(($(date +%s) - start)) "exit status $status: $(tail -1 "$out/peers.txt" | cut -c1-100)"
  else
    row peers passed $(($(date +%s) - start)) "$rows rows in $(basename "$json")$( ((status == 0)) || echo ', cut off')"
  fi
}

run() {
  local part probe problem
  cd "$root"
  scrawl=$build/tools/scrawl checks=$build/tests/blocks/gpu_checks python=${PYTHON:-python3} failed=0
  [[ -x $scrawl && -x $checks ]] ||
    fail "no programs in $build: make a bundle, or build the targets scrawl and gpu_checks with -DSCRAWL_CUDA=ON"
  # The bundle's C++ library, where the machine's own is older or absent.
  if ! problem=$("$scrawl" devices 2>&1); then
    export LD_LIBRARY_PATH=$root/$build/lib/fallback
    "$scrawl" devices > /dev/null || fail "$scrawl does not run here:" "$problem"
  fi
  mkdir -p "$out"
  work=$(mktemp -d)
  results=$work/results
  trap 'rm -rf "$work"' EXIT
  commit=$(git describe --always --dirty 2> /dev/null || cat COMMIT 2> /dev/null || echo unknown)
  probe=$("$scrawl" devices | sed -n "s/^$device *//p")
  no_gpu='' gpu=$probe
  if [[ $probe == 'not usable: '* ]]; then no_gpu="no GPU: ${probe#not usable: }"; fi
  printf 'gpu_check: %s, commit %s, %s\n' "$(date -u +%Y-%m-%dT%H:%MZ)" "$commit" "${no_gpu:-$gpu}" | tee "$out/summary.txt"
  for part in "${chosen[@]}"; do "$part"; done
  printf 'gpu_check: %s, %s seconds; %s has the logs\n' "$( ((failed)) && echo FAILED || echo 'nothing failed')" \
    $(($(date +%s) - deadline + seconds)) "$out" | tee -a "$out/summary.txt"
  return "$failed"
}

# ---- arguments

(($# > 0)) || usage "expected bundle or run"
command=$1
shift
seconds=540 out=$root/build/gpu_check_results every=23 device=cuda archive='' chosen=("${parts[@]}")
jobs=$(($(nproc) / 2))
jobs=$((jobs < 1 ? 1 : jobs > 6 ? 6 : jobs))
while (($# > 0)); do
  case $1 in
    --*) (($# > 1)) || usage "$1: expected a value" ;;&
    --seconds) seconds=$2 ;;
    --out) out=$(realpath -m -- "$2") ;;
    --only) chosen=("$2") ;;
    --every) every=$2 ;;
    --jobs) jobs=$2 ;;
    --device) device=$2 ;;
    --build) build=$2 ;;
    -*) usage "unknown option $1" ;;
    *)
      [[ $command == bundle && -z $archive ]] || usage "unknown argument $1"
      archive=$(realpath -m -- "$1")
      shift
      continue
      ;;
  esac
  shift 2
done
for number in "$seconds" "$every" "$jobs"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || usage "expected a positive number, got $number"
done
[[ " ${parts[*]} " == *" ${chosen[0]} "* ]] || usage "--only: expected one of ${parts[*]}, got ${chosen[0]}"
[[ $build != /* ]] || build=$(realpath -m --relative-to="$root" -- "$build")
[[ $build != ../* ]] || usage "--build: expected a folder in $root, got $build"
deadline=$(($(date +%s) + seconds))

case $command in
  bundle)
    [[ -n $archive ]] || usage "bundle: expected a file to write"
    bundle "$archive"
    ;;
  run) run ;;
  *) usage "expected bundle or run, got $command" ;;
esac
