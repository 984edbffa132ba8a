# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: ISC
#
# Which Debian packages candhook needs for what, and getting those that are missing. Sourced by ./quickstart and
# ./check, after common.sh. One line a package: the name to install, then after a bar what does as well.

packages_build='
gcc
libc6-dev
make
autoconf
automake
pkgconf|pkg-config
perl
libfcgi-dev
libcjson-dev
libpq-dev
libcurl4-openssl-dev|libcurl4-gnutls-dev|libcurl4-nss-dev
libbsd-dev
libcrypt-dev
libseccomp-dev
libxxhash-dev
nettle-dev
libjs-chart.js
'
packages_run='
nginx
postgresql|postgresql-1[4-9]
curl
'
# Apache without its service: apache2-bin is the program alone.
packages_test='
apache2-bin
chromium
libapache2-mod-fcgid
fcgiwrap
pgbouncer
spawn-fcgi
systemd
clang
clang-format
clang-tidy
cppcheck
groff-base
shellcheck
libclang-rt-dev|libclang-rt-1[4-9]-dev
nodejs
openssl
prometheus
python3-prometheus-client
valgrind
xz-utils
'
packages_coverage='
gcovr
'
# The peers that bench/run measures beside us; its own code looks for npm, which some packages of nodejs bring along.
packages_bench='
apache2-bin
libapache2-mod-fcgid
fcgiwrap
nodejs
php-fpm|php[78].[0-9]-fpm
php-pgsql|php[78].[0-9]-pgsql
gunicorn
python3-flask
python3-psycopg2
webhook
'

# Whether one of NAME|NAME… (each may be a pattern) is installed.
packages_has() {
    local names=() status
    IFS='|' read -ra names <<<"$1"
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "${names[@]}" 2>/dev/null)
    [[ $'\n'$status$'\n' == *$'\n'installed$'\n'* ]]
}

# packages_install SET…: installs what is missing of the sets build, run, test.
packages_install() {
    local set entry list missing=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        complain "This is not a Debian system (no dpkg and apt-get), so I cannot tell what is missing." \
            "README lists what candhook needs; build it with: autoreconf -i && ./configure && make"
        return 1
    fi
    for set in "$@"; do
        list=packages_$set
        for entry in ${!list}; do
            packages_has "$entry" || missing+=("${entry%%|*}")
        done
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ]; then
        run_step "Installing ${#missing[@]} packages" "$scripts/install-packages" "${missing[@]}" && return 0
    elif command -v sudo >/dev/null; then
        # Asked for here, where the question can be seen.
        if ! sudo -n true 2>/dev/null && ! { say "sudo wants your password, to install packages:" && sudo -v; }; then
            packages_by_hand "sudo does not let you install the packages that are missing." "${missing[@]}"
            return 1
        fi
        run_step "Installing ${#missing[@]} packages" sudo "$scripts/install-packages" "${missing[@]}" && return 0
    else
        packages_by_hand "There are packages missing, and you are not root and have no sudo." "${missing[@]}"
        return 1
    fi
    packages_explain "${missing[@]}"
    return 1
}

packages_by_hand() {
    complain "$1" "Root can install them, with no service started, by:" "" "    $scripts/install-packages ${*:2}"
}

packages_explain() {
    if grep -qE 'Temporary failure resolving|Could not resolve|Could not connect|Network is unreachable' "$log"; then
        complain "The package servers cannot be reached: this machine seems to be offline." "Missing: $*"
    elif grep -qE 'Unable to locate package|has no installation candidate' "$log"; then
        complain "apt does not know all of these packages: is this Debian 12 with its main archive?" "Missing: $*"
    elif grep -q 'Packages need to be removed' "$log"; then
        complain "apt would have to remove packages for these, which I do not let it: $*"
    else
        complain "The packages could not be installed: $*"
    fi
}
