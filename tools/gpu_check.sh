#!/usr/bin/env bash
# gpu_check.sh: verifies everything on a machine with an NVIDIA GPU, most important first; may be cut off at any moment.
#   gpu_check.sh [--seconds N] [--out DIR] [--only PART]... [--every N] [--jobs N] [--device NAME] [--build DIR]
#       in what tools/bundle.sh packed, or in a checkout. PART: facts, tests, sanitizers, networks, blocks, kernels, training or
#       measure_first; all, in this order. --seconds: stop then (540). --every: sanitizers run each Nth case (23).
#       --device simt tries this script out where there is no GPU.
# Needs the driver and its libraries alone; PyTorch, compute-sanitizer, cuDNN and cuBLAS are used where they are.
# Results are in DIR (default build/gpu_check_results) as soon as they are there: PART.json, a log a part, and summary.txt. Each
# file is whole at any moment. bench/hardware.py makes bench/HARDWARE.md of the JSON once it is in bench/results.
# Exit status 0 only if nothing failed. Without a GPU each step is skipped, and says why.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=build/gpu_check

fail() {
  printf 'gpu_check: %s\n' "$@" >&2
  exit 2
}
usage() { fail "$@" "$(sed -n '3,5s/^# *//p' "${BASH_SOURCE[0]}")"; }

parts=(facts tests sanitizers networks blocks kernels training measure_first)
declare -A shares=([facts]=1 [tests]=28 [sanitizers]=20 [networks]=8 [blocks]=4 [kernels]=22 [training]=12 [measure_first]=5)
tools=(memcheck racecheck synccheck initcheck)
declare -A plants=([memcheck]=write_beyond_memory [racecheck]=race_in_shared_memory [synccheck]=divergent_barrier
  [initcheck]=read_of_unwritten_memory)

# ---- results

now() { date +%s; }
left() { echo $((stop - $(now))); }

# "text" as a JSON string.
json() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '"%s"' "$(tr -d '\000-\037' <<< "$text")"
}

# row NAME STATE SECONDS DETAIL [KEY COUNT]...: in the summary, and in the part's JSON, which is written anew.
row() {
  local name=$1 state=$2 seconds=$3 detail=$4 line
  printf '%-31s %-8s %4s s  %s\n' "$part: $name" "$state" "$seconds" "$detail" | tee -a "$out/summary.txt"
  if [[ $state == FAILED ]]; then failed=1; fi
  line="{\"name\": $(json "$name"), \"state\": $(json "${state,,}"), \"seconds\": $seconds, \"detail\": $(json "$detail")"
  shift 4
  while (($# > 0)); do
    line+=", $(json "$1"): $2"
    shift 2
  done
  [[ -n $writes_rows ]] || return 0
  echo "$line}" >> "$work/$part.rows"
  {
    printf '{"header": {"gpu": %s, "driver": %s, "commit": %s, "date": %s, "device": %s},\n "rows": [\n' "$(json "$gpu")" \
      "$(json "$driver")" "$(json "$commit")" "$(json "$date")" "$(json "$device")"
    sed '$!s/$/,/; s/^/  /' "$work/$part.rows"
    echo ' ]}'
  } > "$work/json"
  cp "$work/json" "$out/.$part.json"
  mv "$out/.$part.json" "$out/$part.json"
}

# ---- tests

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
    state=failed # the sanitizer did not come to its end
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

# The counts of states for row: passed 41 failed 1 ...
counts() {
  local state
  for state in passed failed reported out_of_time skipped not_run; do echo "$state" "$(count_of $state)"; done
}

# "41 passed, 1 failed: Softmax.backward/cuda"
counts_text() {
  local text names
  text=$(counts | awk '$2 > 0 {gsub("_", " ", $1); printf "%s%d %s", n++ ? ", " : "", $2, $1}')
  names=$({ grep -E '^(failed|reported|out_of_time) ' "$results" || true; } | sed -n 1,3p | cut -d' ' -f2 | paste -sd' ')
  echo "${text:-no test ran}${names:+: $names}"
}

# Why tests were skipped, from line $1 of the log: "cuda lacks lstm_forward".
skip_reasons() {
  tail -n +"$1" "$log_file" | awk '/: Skipped$/ {getline; print}' | sort -u | cut -c1-70 | sed -n 1,3p | paste -sd'|' |
    sed 's/|/; /g'
}

# each_suite FILTER: a row for each suite that it lets through.
each_suite() {
  local suite start state line skips
  log_file=$out/$part.txt limit=120 prefix=
  : > "$log_file"
  if [[ -z $(names_of "$1") ]]; then
    row "$part" skipped 0 "${no_gpu:-gpu_checks has none on $device}"
    return
  fi
  for suite in $(names_of "$1" | sed -E 's#/[^/]*$##; s#\.[^.]*$##' | awk '!seen[$0]++ {
      print /(Gpu|OnDevice)$/ ? 0 : 1, $0}' | sort -s -n -k1,1 | cut -d' ' -f2); do
    start=$(now) line=$(($(wc -l < "$log_file") + 1))
    each_test "$suite.*/$device:$suite.*/${device}_*:$suite.kernels_run_on_it"
    skips=$(skip_reasons "$line")
    if (($(count_of 'failed|out_of_time') > 0)); then state=FAILED
    elif (($(count_of passed) > 0)); then state=passed
    elif (($(count_of not_run) > 0)); then state='not run'
    else state=skipped; fi
    # shellcheck disable=SC2046  # words
    row "${suite#*/}" "$state" $(($(now) - start)) "$(counts_text)${skips:+ ($skips)}" $(counts)
  done
}

# ---- parts

facts() {
  local start tool
  start=$(now)
  {
    echo "commit: $commit"
    echo "system: $(uname -sr), $(nproc) processors"
    "$scrawl" devices
    nvidia-smi --format=csv --query-gpu="name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,\
clocks.max.mem,power.limit,temperature.gpu,ecc.mode.current"
    for tool in nvcc ncu compute-sanitizer; do
      echo "$tool: $({ "$tool" --version 2> /dev/null || true; } | grep -iE 'release|version' | tail -1)"
    done
    ldconfig -p | grep -E 'lib(cudnn|cublasLt|nccl)\.so' || echo "no cuDNN, cuBLASLt or NCCL is in the loader's cache"
    "$python" -c 'import torch; print("torch:", torch.__version__, "sees a GPU:", torch.cuda.is_available())'
  } > "$out/facts.txt" 2>&1 || true
  row facts "$([[ -z $no_gpu ]] && echo passed || echo skipped)" $(($(now) - start)) "${no_gpu:-$gpu}"
}

# The kernels, in every case, against the reference in double.
tests() { each_suite "*/$device:Gpu.*-*Block.*:*PlantedFault.*"; }

# Whole networks: first gradients and steps of SGD.
networks() { each_suite "*networks.*/${device}_*"; }

# What simt does for each building block, against what the GPU does.
blocks() { each_suite "*Block.*/$device"; }

# One tool over each Nth case; first over a kernel with the fault that it must see.
sanitize() {
  local tool=$1 start state
  start=$(now)
  prefix="env SCRAWL_GUARDS=0 SCRAWL_EVERY=$every $sanitizer --tool $tool --print-limit 10 --error-exitcode 99"
  each_test "*PlantedFault.${plants[$tool]}/$device"
  if (($(count_of not_run) > 0)); then
    row "$tool" 'not run' 0 "out of time"
    return
  elif (($(count_of reported) == 0)); then
    row "$tool" skipped $(($(now) - start)) "it does not see a planted fault here: $(counts_text)"
    return
  fi
  each_test "*/$device-*PlantedFault.*:*OnDevice.*"
  if (($(count_of 'failed|reported|out_of_time') > 0)); then state=FAILED
  elif (($(count_of passed) > 0)); then state=passed
  else state='not run'; fi
  # shellcheck disable=SC2046  # words
  row "$tool" "$state" $(($(now) - start)) "the planted fault is seen; each ${every}th case: $(counts_text)" $(counts)
}

sanitizers() {
  local i tool last=$stop
  log_file=$out/sanitizers.txt limit=60
  : > "$log_file"
  sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer || true)
  for i in "${!tools[@]}"; do
    tool=${tools[i]}
    # The first gets most.
    stop=$(($(now) + (last - $(now)) / (i == 0 ? 2 : ${#tools[@]} - i)))
    if [[ -n $no_gpu ]]; then row "$tool" skipped 0 "$no_gpu"
    elif [[ -z $sanitizer ]]; then row "$tool" skipped 0 "there is no compute-sanitizer"
    else sanitize "$tool"; fi
  done
}

# timed NAME SECONDS_TO_END COMMAND...: a program that writes $out/$part.json itself, whole after each of its rows. It is told
# by {minutes} how long it has, and stopped SECONDS_TO_END later.
timed() {
  local name=$1 spare=$2 start status=0 seconds rows json=$out/$part.json
  shift 2
  start=$(now) seconds=$(left)
  if ((seconds < 2 * spare)); then
    row "$name" 'not run' 0 "out of time"
    return
  fi
  timeout -k 5 "$seconds" "${@//'{minutes}'/$(awk -v s=$((seconds - spare)) 'BEGIN {print s / 60}')}" --json "$json" \
    > "$out/$part.txt" 2>&1 < /dev/null || status=$?
  rows=$({ grep -c '"name":' "$json" || true; } 2> /dev/null)
  if ((status != 0 && status != 124)) || ((${rows:-0} == 0)); then
    row "$name" FAILED $(($(now) - start)) "exit status $status: $(tail -1 "$out/$part.txt" | cut -c1-100)"
  else
    row "$name" passed $(($(now) - start)) "$rows rows in $part.json$( ((status == 0)) || echo ', cut off')"
  fi
}

# Each variant beside the vendor's best plan, and each of cuDNN's algorithms for LSTM and CTC. bf16 at batch 64 comes first;
# engines are tried in cuDNN's own order, the most promising first, so a short search loses little.
kernels() {
  local what=()
  if [[ -n $no_gpu ]]; then
    row kernels skipped 0 "$no_gpu"
    return
  fi
  [[ $device != simt ]] || what=(--tiny)
  timed kernels 10 env SCRAWL_RECIPES="$root/models/recipes" "$build/tools/scrawl" bench --device "$device" "${what[@]}" \
    --type bf16,f16,tf32,f32 --minutes '{minutes}' --search-seconds 1
}

has_torch() { "$python" -c 'import torch' 2> /dev/null; }

# Training steps beside PyTorch's, its compiler last. A CPU in place of simt, on which a step takes minutes.
training() {
  local where=${device/simt/cpu} peer=()
  local what=(--network crnn cnn62 mnist --type bf16 tf32 --batch 64 256 1024 --seconds 1)
  if [[ -n $no_gpu ]]; then
    row training skipped 0 "$no_gpu"
    return
  fi
  [[ $device != simt ]] || what=(--network mnist --type f32 --batch 8 --seconds 0.2)
  if has_torch; then
    peer=(--peer "$python bench/peers/serve.py --device $where" --variant 'eager;channels_last'
      --last-variant 'compile;compile,channels_last')
  else
    echo "training: $python has no torch: steps are timed alone" | tee -a "$out/summary.txt"
  fi
  timed training 10 env SCRAWL_RECIPES="$root/models/recipes" "$build/bench/models/bench_models" --device "$where" \
    --work train_step "${what[@]}" --minutes '{minutes}' "${peer[@]}"
}

measure_first() {
  if [[ -n $no_gpu ]]; then row measure_first skipped 0 "$no_gpu"
  elif ! has_torch; then row measure_first skipped 0 "$python has no torch"
  else timed measure_first 20 "$python" bench/peers/measure_first.py --device "${device/simt/cpu}" --minutes '{minutes}'; fi
}

run() {
  local probe problem weights rest
  cd "$root"
  scrawl=$build/tools/scrawl checks=$build/tests/blocks/gpu_checks python=${PYTHON:-python3} failed=0
  [[ -x $scrawl && -x $checks ]] ||
    fail "no programs in $build: make a bundle, or build its targets (tools/bundle.sh) with -DSCRAWL_CUDA=ON"
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
  export SCRAWL_COMMIT=$commit
  date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  probe=$("$scrawl" devices | sed -n "s/^$device *//p")
  no_gpu='' gpu=$probe driver=$(nvidia-smi --id=0 --format=csv,noheader --query-gpu=driver_version 2> /dev/null || true)
  if [[ $probe == 'not usable: '* ]]; then gpu='' no_gpu="no GPU: ${probe#not usable: }"; fi
  printf 'gpu_check: %s, commit %s, %s\n' "$date" "$commit" "${no_gpu:-$gpu}" | tee "$out/summary.txt"
  for part in "${chosen[@]}"; do
    # What a part leaves over goes to those after it.
    weights=0
    for rest in "${parts[@]}"; do
      [[ " ${todo[*]} " != *" $rest "* ]] || weights=$((weights + shares[$rest]))
    done
    stop=$(($(now) + (deadline - $(now)) * shares[$part] / weights))
    todo=("${todo[@]:1}")
    writes_rows=yes
    case $part in kernels | training | measure_first) writes_rows='' ;; esac
    "$part"
  done
  printf 'gpu_check: %s, %s seconds; %s has the logs\n' "$( ((failed)) && echo FAILED || echo 'nothing failed')" \
    $(($(now) - deadline + seconds)) "$out" | tee -a "$out/summary.txt"
  return "$failed"
}

# ---- arguments

seconds=540 out=$root/build/gpu_check_results every=23 device=cuda chosen=()
jobs=$(($(nproc) / 2))
jobs=$((jobs < 1 ? 1 : jobs > 6 ? 6 : jobs))
while (($# > 0)); do
  (($# > 1)) || usage "$1: expected a known option and a value"
  case $1 in
    --seconds) seconds=$2 ;;
    --out) out=$(realpath -m -- "$2") ;;
    --only) chosen+=("$2") ;;
    --every) every=$2 ;;
    --jobs) jobs=$2 ;;
    --device) device=$2 ;;
    --build) build=$2 ;;
    *) usage "unknown option $1" ;;
  esac
  shift 2
done
for number in "$seconds" "$every" "$jobs"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || usage "expected a positive number, got $number"
done
for part in "${chosen[@]}"; do
  [[ " ${parts[*]} " == *" $part "* ]] || usage "--only: expected one of ${parts[*]}, got $part"
done
((${#chosen[@]} > 0)) || chosen=("${parts[@]}")
todo=("${chosen[@]}")
[[ $build != /* ]] || build=$(realpath -m --relative-to="$root" -- "$build")
[[ $build != ../* ]] || usage "--build: expected a folder in $root, got $build"
deadline=$(($(now) + seconds))
run
