#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# wslx diag snapshot-readiness. $WSLX is the program, $RECORDINGS is tests/recordings.

bats_require_minimum_version 1.5.0

ready() {
	run --separate-stderr "$WSLX" diag snapshot-readiness "$@"
}

# One value of the JSON that was printed.
value() {
	python3 -c 'import json, sys; print(eval("d" + sys.argv[1], {"d": json.load(sys.stdin)}))' \
		"$1" <<<"$output"
}

@test "this machine is told about, with an exit status that fits" {
	ready --json
	case "$(value '["host_verdict"]')" in
	ready | partly) [ "$status" -eq 0 ] ;;
	"not ready") [ "$status" -eq 3 ] ;;
	*) false ;;
	esac
	[ "$(value '["recording"]')" = None ]
	[ "$(value '["kernel"]')" = "$(uname -r)" ]
	[ -z "$stderr" ]
}

@test "a sleeping program without terminal and pipes is ready" {
	mkfifo "$BATS_TEST_TMPDIR/alone"
	python3 -c '
import os, sys
os.setsid()
os.closerange(3, 4096)
with open(sys.argv[1], "w") as alone:
    alone.write("yes\n")
os.execvp("sleep", ["sleep", "1000"])' "$BATS_TEST_TMPDIR/alone" </dev/null >/dev/null 2>&1 &
	sleeper=$!
	read -r <"$BATS_TEST_TMPDIR/alone"
	ready --json --pid $sleeper
	kill $sleeper
	[ "$(value '["tree"]["verdict"]')" = ready ]
	[ "$(value '["tree"]["pid"]')" = $sleeper ]
	[ "$(value '["tree"]["processes"]')" = 1 ]
}

@test "half a pipeline is refused with status 3 and a sentence" {
	ready --root "$RECORDINGS/plain" --pid 721
	[ "$status" -eq 3 ]
	[[ "$output" == *"Verdict: not ready"* ]]
	[[ "$output" == *"its other end is not in the tree"* ]]
}

@test "the whole pipeline is ready" {
	ready --root "$RECORDINGS/plain" --pid 701
	[ "$status" -eq 0 ]
	[[ "$output" == *"not tried: this is a recording"* ]]
}

@test "WSL2 is recognised in both networking modes" {
	ready --root "$RECORDINGS/wsl2-nat" --json
	[ "$(value '["wsl"]["networking_mode"]')" = nat ]
	[ "$(value '["wsl"]["filtered"]')" = False ]
	ready --root "$RECORDINGS/wsl2-mirrored" --json
	[ "$(value '["wsl"]["networking_mode"]')" = mirrored ]
	[ "$(value '["wsl"]["filtered"]')" = True ]
	[ "$(value '["wsl"]["channels"][0]["presence"]')" = implied ]
}

@test "--all shows every channel in full" {
	ready --root "$RECORDINGS/wsl2-nat"
	[[ "$output" != *"init-watcher, with systemd"* ]]
	ready --root "$RECORDINGS/wsl2-nat" --all
	[[ "$output" == *"init-watcher, with systemd"* ]]
	[ "$(grep -c '^  *again ' <<<"$output")" -eq 26 ]
}

@test "what cannot be looked at is an error and prints no report" {
	ready --pid 4194999
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[[ "$stderr" == *"there is no process 4194999"* ]]
	ready --root /etc
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"/etc is not a recording"* ]]
	ready --pid 12x
	[ "$status" -eq 2 ]
	[[ "$stderr" == *'"12x" is no process id'* ]]
}
