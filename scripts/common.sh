# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: ISC
#
# What ./quickstart and ./check share: saying how far they are, and the build. Sourced with bash; the caller has set
# `top` (the checkout). Everything that a step prints goes to $log; when it fails, the end of that is shown.

scripts=$top/scripts
export LC_ALL=C.UTF-8
bold='' red='' plain=''
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'
fi

say() {
    printf '%s\n' "$@"
}

complain() {
    printf '%s\n' "" "$red$1$plain" "${@:2}" >&2
}

# Autotools and make cannot build under a path with blanks, and say so in riddles.
refuse_blanks() {
    case $top in
        *[[:space:]]*)
            complain "The path of this checkout has a blank in it, and make cannot work with that:" "" "    $top" "" \
                "Move it to a path without blanks."
            exit 1
            ;;
    esac
    if [ ! -w "$top" ]; then
        complain "I cannot write to $top (I build in its folder build/)." "Use a checkout of your own."
        exit 1
    fi
}

# On a terminal, the seconds of the step that runs, until it is killed.
tick() {
    local begin=$SECONDS
    trap 'exit 0' TERM
    trap '' INT
    while sleep 1 & wait $!; do
        printf '\r  %-52s %4d s ' "$1" $((SECONDS - begin))
    done
}

# run_quietly TITLE COMMAND…: the command with its output in $log, and one line about it; returns its status.
run_quietly() {
    local title=$1 begin=$SECONDS status=0 ticker=''
    shift
    printf '  %-52s ' "$title"
    if [ -t 1 ]; then
        tick "$title" &
        ticker=$!
    fi
    printf '\n==== %s\n' "$title" >>"$log"
    # Descriptors 7 and 8 are locks: nothing that stays up may hold them.
    "$@" >>"$log" 2>&1 </dev/null 7<&- || status=$?
    if [ -n "$ticker" ]; then
        kill $ticker && wait $ticker
        printf '\r  %-52s ' "$title"
    fi 2>/dev/null
    printf '%4d s' $((SECONDS - begin))
    [ $status = 0 ] || printf '  %sFAILED%s' "$red" "$plain"
    printf '\n'
    return $status
}

# run_step TITLE COMMAND…: the same; when the command fails, the end of what it said.
run_step() {
    local status=0
    run_quietly "$@" || status=$?
    [ $status = 0 ] || step_end >&2
    return $status
}

# The end of the last step's output, without what went well.
step_end() {
    awk '/^==== / { n = 0 } !/^PASS: / { line[n++] = $0 } END { for (i = n > 60 ? n - 60 : 0; i < n; i++) print "    | " line[i] }' "$log"
    say "    (all of it: $log)"
}

# with_lock FOLDER COMMAND…: the folder itself is the lock, so nothing is left behind; held while the command runs.
with_lock() {
    local what=$1
    shift
    (exec 8<"$what" && flock 8 && "$@")
}

# configure, where it is not there or older than what it is made from. It is the one thing that writes beside the sources.
make_configure() {
    [ "$top/configure" -nt "$top/configure.ac" ] && [ "$top/Makefile.in" -nt "$top/Makefile.am" ] &&
        [ "$top/config.h.in" -nt "$top/configure.ac" ] && [ -z "$(find "$top"/{src,sql,bench,tests} -name '*.am' -newer "$top/Makefile.in")" ] ||
        (cd "$top" && autoreconf -i)
}

# prepare FOLDER OPTION…: configures the build in FOLDER, if that is not done yet.
prepare() {
    local folder=$1
    shift
    if [ -e "$top/config.status" ]; then
        echo "this checkout was configured in place; run 'make distclean' in $top first"
        return 1
    fi
    mkdir -p "$folder" && with_lock "$top" make_configure || return 1
    if [ ! -e "$folder/Makefile" ] || [ "$(cat "$folder/options" 2>/dev/null)" != "$*" ] ||
        [ "$top/configure" -nt "$folder/config.status" ]; then
        (cd "$folder" && "$top/configure" -q "$@") && printf '%s\n' "$*" >"$folder/options" || return 1
    fi
    # What changed in a list of files alone; make says so, where it is not yet asked for anything.
    with_lock "$top" make -C "$folder" Makefile
}
