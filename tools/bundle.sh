#!/usr/bin/env bash
# bundle.sh FILE.tar.gz [--build DIR]: builds for GPUs of compute capability 9.0 and packs what tools/gpu_check.sh runs there:
# programs, the small libraries they link to, recipes and scripts. cuDNN, cuBLAS and NCCL are found on the GPU's machine.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=build/gpu_check
archive=''
most_bytes=$((64 << 20))

fail() {
  printf 'bundle: %s\n' "$@" >&2
  exit 2
}

while (($# > 0)); do
  case $1 in
    --build)
      (($# > 1)) || fail "--build: expected a folder"
      build=$2
      shift
      ;;
    -*) fail "unknown option $1" "usage: bundle.sh FILE.tar.gz [--build DIR]" ;;
    *)
      [[ -z $archive ]] || fail "unknown argument $1"
      archive=$(realpath -m -- "$1")
      ;;
  esac
  shift
done
[[ -n $archive ]] || fail "expected a file to write" "usage: bundle.sh FILE.tar.gz [--build DIR]"
[[ $build != /* ]] || build=$(realpath -m --relative-to="$root" -- "$build")
[[ $build != ../* ]] || fail "--build: expected a folder in $root, got $build"

# The libraries of a program that a machine may lack: all but the C library's.
libraries_of() {
  ldd "$1" | awk '/not found/ {print "missing:" $1} $2 == "=>" && $3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' || true
}

targets=(scrawl gpu_checks bench_models)
cd "$root"
# Runs on any x86-64 processor; programs find their libraries beside them, and these theirs.
# shellcheck disable=SC2016  # the loader expands $ORIGIN
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSCRAWL_CUDA=ON -DSCRAWL_NATIVE=OFF -DSCRAWL_WERROR=ON \
  -DCMAKE_CUDA_ARCHITECTURES=90a-real \
  -DCMAKE_BUILD_RPATH='$ORIGIN/../lib;$ORIGIN/../../lib' -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/scrawl_gpu_check
packed=$top/build/gpu_check # where gpu_check.sh looks
mkdir -p "$top"/{tools,bench,models} "$packed"/lib/fallback
cp tools/gpu_check.sh "$top/tools/"
cp -r bench/peers "$top/bench/"
cp -r models/recipes "$top/models/"
find "$top" -name __pycache__ -prune -exec rm -rf {} +
(git describe --always --dirty 2> /dev/null || echo unknown) > "$top/COMMIT"
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
    */libcudnn* | */libcublas* | */libnccl*) ;;
    *) cp -L "$file" "$packed/lib/" ;;
  esac
done < "$stage/libraries"
strip --strip-unneeded "$packed"/lib/*.so* "$packed"/lib/fallback/*.so*
mkdir -p "$(dirname "$archive")"
tar -C "$stage" -c scrawl_gpu_check | gzip -9 > "$archive"
bytes=$(stat -c %s "$archive")
((bytes < most_bytes)) || fail "$archive: expected fewer than $most_bytes bytes, got $bytes"
awk -v f="$archive" -v b="$bytes" 'BEGIN {printf "bundle: %s: %.1f MiB\n", f, b / 1048576}'
