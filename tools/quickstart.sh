#!/usr/bin/env bash
# quickstart.sh [FOLDER]: from a fresh checkout to recognised words: installs, builds, makes synthetic handwriting,
# trains a small CRNN on it, evaluates it and reads three images it has not seen. Data and run go to FOLDER
# (default: runs/quickstart in the repository). Run it again and it continues where it stopped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
(($# <= 1)) || { echo "usage: quickstart.sh [FOLDER]" >&2; exit 2; }
folder=$(realpath -m -- "${1:-$root/runs/quickstart}")
data=$folder/words
run=$folder/crnn-small
scrawl=$root/build/release/tools/scrawl

step() { printf '\n== %s\n' "$*"; }

step "Installing what is missing"
"$root/tools/install.sh"

step "Building"
(cd "$root" && cmake --preset release && cmake --build --preset release --target scrawl --parallel "$(nproc)")

step "Writing synthetic handwriting to $data"
mkdir -p "$folder"
if [[ ! -d $data ]]; then
  rm -rf "$data.partial"
  "$scrawl" data synth --out "$data.partial"
  mv "$data.partial" "$data"
fi

step "Training crnn-small in $run, for about three minutes"
train() { "$scrawl" train crnn-small --data "$data" --out "$run" --epochs 100 --minutes 3 "$@"; }
if compgen -G "$run/checkpoints/step_*/DONE" > /dev/null; then
  status=0
  train --resume || status=$?
  if ((status == 2)); then  # made by another build, or with other settings
    old=$run.$(date +%Y%m%d-%H%M%S)
    echo "That run cannot go on with this build, as said above. It is kept in $old; a new one begins."
    mv "$run" "$old"
    train
  elif ((status != 0)); then
    exit "$status"
  fi
else
  train
fi

step "Evaluating on words and on hands that it has not seen"
"$scrawl" eval "$run" --data "$data" --split test
"$scrawl" eval "$run" --data "$data" --split test-fonts

step "Reading three images"
mapfile -t images < <(awk -F '\t' -v data="$data" '$3 == "test" && ++n <= 3 {print data "/" $1}' "$data/labels.tsv")
"$scrawl" predict "$run" "${images[@]}"

cat <<END

The model is in $run: weights/best.safetensors, results.csv, config.toml and TensorBoard curves.
Next:
  $scrawl predict $run IMAGE...            read images of your own
  $scrawl train crnn-small --data PATH     train on data of your own
  $scrawl --help                           everything else
END
