# Shared by the scripts of this folder: says what it sets up, and does so only once.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck disable=SC2034 # for the scripts that read this file
ROOT=$PWD
PATH=$PATH:/usr/sbin:/sbin

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

need_node() {
  command -v node >/dev/null || fail "Node.js is missing: install version 20.19 or newer"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number)
    process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node.js $(node --version) is too old: 20.19 or newer is needed"
}

# What runs the virtual machine here; what it consists of is downloaded and never installed.
# shellcheck disable=SC2034 # for the scripts that read this file
MACHINE_PACKAGES=(qemu-system-x86_64=qemu-system-x86 mke2fs=e2fsprogs setpriv=util-linux)

# Installs Debian packages that are missing where root and apt are there; else says which are.
# Usage: need_packages PROGRAM_OR_FILE=PACKAGE …
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    has "${pair%%=*}" || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "Installing Debian packages: ${missing[*]}"
    apt-get -o DPkg::Lock::Timeout=600 update -qq
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends \
      "${missing[@]}" >/dev/null
  else
    say "Missing (apt install ${missing[*]}); what needs them is left out or fails"
    return 1
  fi
}

has() {
  case $1 in
    /*) [ -e "$1" ] ;;
    python:*) /usr/bin/python3 -c "import ${1#python:}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# npm packages, when package-lock.json has changed since the last time.
need_npm_packages() {
  local stamp=node_modules/.volseal-lock
  cmp -s package-lock.json "$stamp" && return 0
  say "Installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
}

# The compiled package, when a source is newer than it.
need_build() {
  if [ -e dist/cli/main.js ] &&
    [ -z "$(find src tsconfig.json rolldown.config.js package.json -newer dist/cli/main.js -print -quit)" ]; then
    return 0
  fi
  say "Building"
  npm run --silent build
}

# The compiled scripts, when a source is newer than they are. One at a time: others wait for it.
need_scripts_build() {
  mkdir -p .cache
  (
    flock 9
    if [ -e build/.stamp ] && [ -z "$(find scripts src -name '*.ts' -newer build/.stamp -print -quit)" ]; then
      exit 0
    fi
    say "Building the scripts"
    npm run --silent build:scripts
    touch build/.stamp
  ) 9>.cache/build.lock
}

# What scripts/testbed runs: libraries alone, since a daemon's package would want to start it.
need_testbed_packages() {
  local python=/usr/lib/python3/dist-packages
  need_packages \
    $python/keystone=python3-keystone $python/barbican=python3-barbican \
    $python/glance=python3-glance $python/cinder=python3-cinder $python/swift=python3-swift \
    $python/castellan=python3-castellan $python/cursive=python3-cursive \
    $python/barbicanclient=python3-barbicanclient openstack=python3-openstackclient \
    uwsgi=uwsgi-core /usr/lib/uwsgi/plugins/python3_plugin.so=uwsgi-plugin-python3 \
    mariadbd=mariadb-server-core mariadb=mariadb-client-core \
    qemu-img=qemu-utils cryptsetup=cryptsetup-bin openssl=openssl
}
