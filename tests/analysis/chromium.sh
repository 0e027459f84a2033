#!/usr/bin/env bash
# Chromium for the tests of the page, where it is missing. Needs root on Debian.
set -euo pipefail

refuse() {
    echo "error: the tests of the page need Chromium; $*" >&2
    exit 1
}

for name in chromium chromium-browser google-chrome; do
    ! command -v "$name" >/dev/null || exit 0
done
((EUID == 0)) || refuse "install it (on Debian: apt-get install chromium), or run this as root."
command -v apt-get >/dev/null || refuse "there is no apt-get here to install it with."
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
