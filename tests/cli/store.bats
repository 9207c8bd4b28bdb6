#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The verbs that look after the store, on snapshots of sleeping programs. $WSLX is the program.

bats_require_minimum_version 1.5.0

setup() {
	export WSLX_HOME="$BATS_TEST_TMPDIR/store"
	ESC=$'\e'
}

teardown() {
	[ -z "${sleeper:-}" ] || kill "$sleeper"
}

wslx() {
	run --separate-stderr "$WSLX" "$@"
}

# A program with no pipe and no terminal of ours, called $1; $sleeper once it has begun.
start_sleeper() {
	mkfifo "$BATS_TEST_TMPDIR/begun"
	python3 -c '
import os, sys
os.setsid()
os.closerange(3, 4096)
with open(sys.argv[1], "w") as begun:
    begun.write("yes\n")
os.execvp("sleep", [sys.argv[2], "1000"])' "$BATS_TEST_TMPDIR/begun" "${1:-sleep}" \
		</dev/null >/dev/null 2>&1 &
	sleeper=$!
	read -r <"$BATS_TEST_TMPDIR/begun"
	# It has opened and closed the fifo, and is about to become sleep.
	until [ "$(cat "/proc/$sleeper/comm")" = sleep ]; do kill -0 "$sleeper"; done
}

snap() {
	wslx snap proc --pid "$sleeper" --name "$@"
	[ "$status" -eq 0 ]
}

json() {
	python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" \
		<<<"$output"
}

@test "a store that is not there is made, and is empty" {
	wslx list
	[ "$status" -eq 0 ]
	[[ "$output" == *"no snapshots yet"* ]]
	[ "$(stat -c %a "$WSLX_HOME")" = 700 ]
	[ "$(stat -c %a "$WSLX_HOME/key")" = 600 ]
	wslx list --json
	[ "$(json d)" = "[]" ]
}

@test "what is not there cannot be shown, removed, verified, restored or compared" {
	for words in "show x" "rm x" "verify x" "restore proc --name x" "diff proc --name x --name x"; do
		# shellcheck disable=SC2086
		wslx $words
		[ "$status" -eq 1 ]
		[ -z "$output" ]
		[[ "$stderr" == *"there is no snapshot x"* ]]
	done
}

@test "snap, list, show, diff, verify, rm, gc" {
	start_sleeper
	snap one --json
	[ "$(json 'd["name"], d["tasks"], d["threads"], d["pages"] > 0')" = "('one', 1, 1, True)" ]
	snap two --quiet
	[ -z "$output$stderr" ]
	wslx list
	[[ "$output" == *one*proc*sleep\ 1000*two*proc* ]]
	wslx list --json
	[ "$(json '[(m["name"], m["kind"], m["damaged"], m["command"]) for m in d]')" = \
		"[('one', 'proc', False, 'sleep 1000'), ('two', 'proc', False, 'sleep 1000')]" ]
	wslx show one
	[[ "$output" == *"$sleeper"* ]]
	wslx show one --json
	[ "$(json 'd["root"], d["tasks"][0]["threads"][0]["comm"]')" = \
		"($sleeper, 'sleep')" ]
	"$WSLX" show one --cbor >"$BATS_TEST_TMPDIR/cbor"
	# A definite map (major type 5) whose first key is 1, the version.
	[[ "$(head -c 4 "$BATS_TEST_TMPDIR/cbor" | od -An -tx1 | tr -d ' ')" =~ ^(b[0-7]|b8..|a.)0101 ]]
	[ "$(wc -c <"$BATS_TEST_TMPDIR/cbor")" -gt 1000 ] # whole, with all of its zero bytes
	wslx diff proc --name one --name one
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "0 differences" ]
	wslx diff proc --name one --name two
	[[ "${lines[-1]}" != "0 differences" ]] # they were taken at different times
	wslx verify
	[[ "$output" == "2 snapshots, "* ]]
	wslx rm one two
	[ "$status" -eq 0 ]
	wslx gc
	[ "$status" -eq 0 ]
	[ -z "$(ls "$WSLX_HOME/blobs/sha256")" ]
	kill -0 "$sleeper"
}

@test "rm goes on after a name that is not there, and says so" {
	start_sleeper
	snap one
	wslx rm nothing one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"no snapshot nothing"* ]]
	wslx list --json
	[ "$(json d)" = "[]" ]
}

@test "a name that is taken is not taken again without --replace" {
	start_sleeper
	snap one
	wslx snap proc --pid "$sleeper" --name one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"a snapshot one already"* ]]
	snap one --replace
	wslx list --json
	[ "$(json 'len(d)')" = 1 ]
}

@test "hostile names are refused before the program is touched" {
	start_sleeper
	for name in "" . .. ../x x/../y /x x/ -x "a b" "a	b" "x${ESC}[31m" $'a\nb' "é" "a..b" \
		"$(printf 'a%.0s' {1..129})"; do
		wslx snap proc --pid "$sleeper" "--name=$name"
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"a snapshot's name"* ]]
	done
	wslx list --json
	[ "$(json d)" = "[]" ]
}

@test "names that look strange but are sound" {
	start_sleeper
	for name in a "$(printf 'a%.0s' {1..128})" a/b a.b_c-d:e@f+g 0; do
		snap "$name"
	done
	wslx list --json
	[ "$(json 'len(d)')" = 5 ]
}

@test "a process that is not there" {
	wslx snap proc --pid 4194999 --name x
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"no process 4194999"* ]]
}

@test "an obstacle has status 3 and a sentence, and the program runs on" {
	mkfifo "$BATS_TEST_TMPDIR/begun"
	# It holds one end of a pipe whose other end is ours.
	python3 -c '
import os, sys
os.setsid()
os.closerange(3, 4096)
with open(sys.argv[1], "w") as begun:
    begun.write("yes\n")
os.execvp("sleep", ["sleep", "1000"])' "$BATS_TEST_TMPDIR/begun" </dev/null 2>/dev/null \
		> >(cat >/dev/null) &
	sleeper=$!
	read -r <"$BATS_TEST_TMPDIR/begun"
	wslx snap proc --pid "$sleeper" --name x
	[ "$status" -eq 3 ]
	[[ "$stderr" == *pipe*"outside of the tree"* ]]
	wslx list --json
	[ "$(json d)" = "[]" ]
	kill -0 "$sleeper"
}

@test "a key that others can read is refused with the remedy" {
	wslx list
	chmod 644 "$WSLX_HOME/key"
	wslx list
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"chmod 600"* ]]
}

@test "a key that is damaged, empty or gone is not replaced" {
	start_sleeper
	snap one
	cp "$WSLX_HOME/key" "$BATS_TEST_TMPDIR/key"
	tr 0-9a-f 1-9a-f0 <"$BATS_TEST_TMPDIR/key" >"$WSLX_HOME/key"
	wslx show one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *key* ]]
	: >"$WSLX_HOME/key"
	wslx show one
	[ "$status" -eq 1 ]
	rm "$WSLX_HOME/key"
	wslx show one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *key* ]]
	[ ! -e "$WSLX_HOME/key" ]
	cp "$BATS_TEST_TMPDIR/key" "$WSLX_HOME/key"
	wslx verify
	[ "$status" -eq 0 ]
}

@test "a damaged snapshot is listed as such, and the others as they are" {
	start_sleeper
	snap one
	before=$(ls "$WSLX_HOME/blobs/sha256")
	snap two
	for blob in $(ls "$WSLX_HOME/blobs/sha256"); do
		grep -qx "$blob" <<<"$before" && continue
		# The second one's: its manifest, config, state, table, pages.
		chmod u+w "$WSLX_HOME/blobs/sha256/$blob"
		truncate -s -1 "$WSLX_HOME/blobs/sha256/$blob"
	done
	wslx list
	[ "$status" -eq 0 ]
	[[ "$output" == *one*proc* ]]
	[[ "$output" == *two*damaged:* ]]
	wslx list --json
	[ "$(json '[(m["name"], m["damaged"]) for m in d]')" = "[('one', False), ('two', True)]" ]
	for words in "show two" "verify" "verify two" "restore proc --name two" \
		"diff proc --name one --name two"; do
		# shellcheck disable=SC2086
		wslx $words
		[ "$status" -eq 1 ]
		[ -n "$stderr" ]
	done
	wslx verify one
	[ "$status" -eq 0 ]
	wslx rm two
	[ "$status" -eq 0 ]
	wslx verify
	[ "$status" -eq 0 ]
}

@test "no escape of a program's reaches the terminal" {
	start_sleeper "x${ESC}[31m"
	snap one
	wslx list
	[[ "$output" == *'\x1b[31m'* ]]
	[[ "$output" != *"$ESC"* ]]
	wslx show one
	[[ "$output" != *"$ESC"* ]]
	wslx list --json
	[[ "$output" != *"$ESC"* ]]
	[ "$(json 'd[0]["command"]')" = "x${ESC}[31m 1000" ]
	wslx show one --json
	[[ "$output" != *"$ESC"* ]]
	json 'd["command"]'
	wslx diag snapshot-readiness --pid "$sleeper"
	[[ "$output" != *"$ESC"* ]]
}

@test "a store that cannot be made" {
	WSLX_HOME=/proc/nowhere wslx list
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"/proc/nowhere"* ]]
	touch "$BATS_TEST_TMPDIR/file"
	WSLX_HOME="$BATS_TEST_TMPDIR/file" wslx list
	[ "$status" -eq 1 ]
	[ -n "$stderr" ]
}

@test "where the store is: WSLX_HOME, XDG_DATA_HOME, HOME" {
	unset WSLX_HOME
	XDG_DATA_HOME="$BATS_TEST_TMPDIR/xdg" HOME="$BATS_TEST_TMPDIR/home" wslx list
	[ -d "$BATS_TEST_TMPDIR/xdg/wslx/blobs" ]
	XDG_DATA_HOME='' HOME="$BATS_TEST_TMPDIR/home" wslx list
	[ -d "$BATS_TEST_TMPDIR/home/.local/share/wslx/blobs" ]
	XDG_DATA_HOME='' HOME='' wslx list
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"neither WSLX_HOME"* ]]
}
