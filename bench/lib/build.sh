# SPDX-License-Identifier: ISC
# shellcheck shell=bash disable=SC2154
#
# What bench/run, bench/scale, bench/soak and bench/console share: the build. Sourced with bash; the caller has set `top` (the checkout).

build=$top/build/bench
log=$build/log
# shellcheck source=scripts/common.sh
. "$top/scripts/common.sh"
# shellcheck source=scripts/packages.sh
. "$top/scripts/packages.sh"

build_all() {
    prepare "$build" CFLAGS=-O2 && make -C "$build" -j2 all && make -C "$build" bench/load bench/nospool bench/ceiling
}

# begin SET…: installs the packages of these sets, and builds. Two at once would measure each other.
begin() {
    refuse_blanks
    mkdir -p "$build" || exit 1
    exec 7<"$build"
    if ! flock -n 7; then
        complain "Another benchmark of this checkout is at work."
        exit 1
    fi
    : >"$log"
    packages_install "$@" && run_step "Building for release" build_all || exit 1
    case $(stat -f -c %T "${TMPDIR:-/tmp}") in
        tmpfs | ramfs) say "  ${TMPDIR:-/tmp} is in memory, where a sync costs nothing: set TMPDIR to a folder on a disk" ;;
    esac
    export top_srcdir=$top top_builddir=$build
}
