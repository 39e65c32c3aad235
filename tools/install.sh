#!/usr/bin/env bash
# install.sh [PACKAGE...]: installs the Debian packages that scrawl needs, and those named. Does nothing when all
# are there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

wanted=(
  g++ cmake ninja-build ccache pkg-config python3
  libdnnl-dev ocl-icd-opencl-dev                   # CPU kernels; its CMake package asks for OpenCL
  libfreetype-dev libharfbuzz-dev libstb-dev       # synthetic handwriting, images
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libutf8proc-dev zlib1g-dev
  libboost-context-dev                             # lanes of simt
  libgtest-dev libgmock-dev libbenchmark-dev
  wamerican wngerman wfrench                       # words for synthetic handwriting
  "$@"
)
fonts=$root/models/data/synth/fonts.toml
if [[ -f $fonts ]]; then
  mapfile -t font_packages < <(sed -n 's/^package *= *"\(.*\)".*/\1/p' "$fonts" | sort -u)
  wanted+=("${font_packages[@]}")
fi

fail() {
  printf 'install: %s\n' "$@" >&2
  exit 1
}

command -v apt-get >/dev/null ||
  fail "needs Debian or a relative of it; elsewhere, install what corresponds to:" "${wanted[*]}"

installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "install: all ${#wanted[@]} packages are there"
  exit 0
fi
echo "install: missing: ${missing[*]}"

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || fail "not root, and no sudo; as root, run:" "apt-get install ${missing[*]}"
  as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)

"${apt[@]}" update || fail "the package lists could not be fetched: is the network reachable, the proxy set?"
unknown=()
for package in "${missing[@]}"; do
  [[ -n $(apt-cache show --no-all-versions -- "$package" 2>/dev/null) ]] || unknown+=("$package")
done
((${#unknown[@]} == 0)) ||
  fail "apt knows no package ${unknown[*]}" "scrawl builds on Debian 12; a line of /etc/apt/sources.list may be missing."
"${apt[@]}" install --no-install-recommends "${missing[@]}" ||
  fail "apt-get could not install all packages; its message above says why"
echo "install: installed ${#missing[@]} packages"
