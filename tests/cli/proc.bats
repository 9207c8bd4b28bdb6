#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What snap proc and restore proc refuse, and say then. $WSLX is the program.

bats_require_minimum_version 1.5.0

setup() {
	export WSLX_HOME="$BATS_TEST_TMPDIR/store"
	pids=()
}

teardown() {
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

wslx() {
	run --separate-stderr "$WSLX" "$@"
}

# Start a program in a session of its own and without the files that bats has open; wait until it
# runs under its name.
apart() {
	python3 -c 'import os, sys; os.closerange(3, 4096); os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' \
		"$@" >/dev/null 2>&1 </dev/null &
	pid=$!
	pids+=("$pid")
	until [ "$(<"/proc/$pid/comm")" = sleep ]; do
		kill -0 "$pid"
	done
}

# A program that sleeps, snapshotted as $1 and gone.
snapshot() {
	apart sleep 1000
	"$WSLX" snap proc --pid "$pid" --name "$1" --stop --quiet
	wait "$pid" || true
}

# Restore in a pid namespace, so that it does not matter which numbers are free.
restore() {
	wslx restore proc --pidns "$@"
	[ "$status" -ne 0 ] || pids+=("$output")
}

marks() {
	find "$WSLX_HOME/restored" -type f | wc -l
}

@test "a snapshot is restored once, and then again with --clone" {
	snapshot one
	restore --name one
	[ "$status" -eq 0 ]
	restore --name one
	[ "$status" -eq 3 ]
	[[ "$stderr" == *"was restored on $(date +%Y-)"*"--clone restores it again"* ]]
	[ -z "$output" ]
	restore --name one --clone
	[ "$status" -eq 0 ]
	restore --name one --clone
	[ "$status" -eq 0 ]
	[ "$(marks)" -eq 1 ]
}

@test "a clone counts as a restore" {
	snapshot one
	restore --name one --clone
	[ "$status" -eq 0 ]
	restore --name one
	[ "$status" -eq 3 ]
}

@test "--eager is taken" {
	snapshot one
	restore --name one --eager
	[ "$status" -eq 0 ]
}

@test "a restore that fails does not count" {
	snapshot one
	for point in restore-memory restore-release restore-mark; do
		WSLX_FAULT=$point restore --name one
		[ "$status" -eq 1 ]
		[ "$(marks)" -eq 0 ]
		WSLX_FAULT=$point:kill restore --name one
		[ "$status" -eq 137 ]
	done
	restore --name one
	[ "$status" -eq 0 ]
}

@test "rm and --replace remove the mark" {
	snapshot one
	restore --name one
	[ "$(marks)" -eq 1 ]
	"$WSLX" rm one
	[ "$(marks)" -eq 0 ]
	snapshot one
	restore --name one
	apart sleep 1000
	"$WSLX" snap proc --pid "$pid" --name one --replace --quiet
	[ "$(marks)" -eq 0 ]
	restore --name one
	[ "$status" -eq 0 ]
}

@test "gc removes the marks of snapshots that are gone, and no others" {
	snapshot one
	restore --name one
	touch "$WSLX_HOME/restored/$(printf '0%.0s' {1..32})"
	"$WSLX" gc
	[ "$(marks)" -eq 1 ]
}

@test "two restores at the same time: one of them" {
	snapshot one
	restored=0
	for _ in 1 2 3 4; do
		"$WSLX" restore proc --pidns --name one >>"$BATS_TEST_TMPDIR/pids" 2>/dev/null 3>&- &
		tries+=("$!")
	done
	for try in "${tries[@]}"; do
		if wait "$try"; then
			restored=$((restored + 1))
		fi
	done
	mapfile -t -O "${#pids[@]}" pids <"$BATS_TEST_TMPDIR/pids"
	[ "$restored" -eq 1 ]
}

@test "WSL's own processes are never stopped" {
	python3 -c 'import os, sys
os.closerange(3, 4096); os.setsid()
open("/proc/self/comm", "w").write("Relay(7)")
open(sys.argv[1], "w").close()
import signal; signal.pause()' "$BATS_TEST_TMPDIR/runs" >/dev/null 2>&1 </dev/null &
	pid=$!
	pids+=("$pid")
	until [ -e "$BATS_TEST_TMPDIR/runs" ]; do
		kill -0 "$pid"
	done
	WSLX_FORCE=wsl wslx snap proc --pid "$pid" --name one
	[ "$status" -eq 3 ]
	[[ "$stderr" == *"process $pid (Relay(7)) is WSL's own"*"name the program itself"* ]]
	WSLX_FORCE=wsl wslx diag snapshot-readiness --pid "$pid"
	[ "$status" -eq 3 ]
	[[ "$output" == *"WSL's own"* ]]
	# Elsewhere it is a name like any other.
	wslx snap proc --pid "$pid" --name one
	[ "$status" -eq 0 ]
}

@test "memory that is bound to NUMA nodes is refused where there are several" {
	python3 -c 'import ctypes, mmap, os, signal, sys
os.closerange(3, 4096); os.setsid()
libc, memory, node = ctypes.CDLL(None), mmap.mmap(-1, 4096), ctypes.c_ulong(1)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
mbind = libc.syscall(237, ctypes.c_ulong(at), 4096, 2, ctypes.byref(node), 65, 0)
with open(sys.argv[1] + ".new", "w") as f: f.write(str(mbind))
os.rename(sys.argv[1] + ".new", sys.argv[1])
signal.pause()' "$BATS_TEST_TMPDIR/bound" >/dev/null 2>&1 </dev/null &
	pid=$!
	pids+=("$pid")
	until [ -e "$BATS_TEST_TMPDIR/bound" ]; do
		kill -0 "$pid"
	done
	[ "$(<"$BATS_TEST_TMPDIR/bound")" = 0 ] || skip "no mbind here"
	WSLX_FORCE=numa wslx snap proc --pid "$pid" --name one
	[ "$status" -eq 3 ]
	[[ "$stderr" == *"NUMA nodes (mbind)"* ]]
}

@test "a pid that is taken is refused, and by whom is said" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	apart sleep 1000
	"$WSLX" snap proc --pid "$pid" --name one --quiet
	wslx restore proc --name one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"pid $pid is taken by \"sleep\""*"--pidns"* ]]
}

@test "a pid that is the number of a living group is refused, and whose is said" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	# The leader of the session ends; its child keeps the number taken.
	apart bash -c 'sleep 1000 & echo $! >"$1"; exec sleep 1000' - "$BATS_TEST_TMPDIR/member"
	leader=$pid
	read -r member <"$BATS_TEST_TMPDIR/member"
	pids+=("$member")
	"$WSLX" snap proc --pid "$leader" --name one --quiet
	kill -KILL "$leader"
	wait "$leader" || true
	wslx restore proc --name one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"pid $leader is the number of the process group or session"*"$member"* ]]
}

# A program with a second thread, whose number is left in $tid, snapshotted as $1 and gone.
snapshot_threads() {
	python3 -c 'import os, sys, threading, signal
os.closerange(3, 4096); os.setsid()
def work():
    with open(sys.argv[1] + ".new", "w") as f: f.write("%d\n" % threading.get_native_id())
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
signal.pause()' "$BATS_TEST_TMPDIR/tid" >/dev/null 2>&1 </dev/null &
	pid=$!
	pids+=("$pid")
	until [ -e "$BATS_TEST_TMPDIR/tid" ]; do kill -0 "$pid"; done
	read -r tid <"$BATS_TEST_TMPDIR/tid"
	"$WSLX" snap proc --pid "$pid" --name "$1" --stop --quiet
	wait "$pid" || true
}

# A process with the number $1: "sleep" goes on; "zombie" has ended, and is waited for when somebody
# has written into the FIFO $2.
hold() {
	mkfifo "$2"
	python3 -c 'import ctypes, os, sys
libc, number = ctypes.CDLL(None), (ctypes.c_int * 1)(int(sys.argv[1]))
args = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(number), 1, 0)
os.closerange(3, 4096)
child = libc.syscall(435, args, 88)  # clone3
if child == 0:
    if sys.argv[3] == "zombie": os._exit(0)
    os.execvp("sleep", ["sleep", "1000"])
if sys.argv[3] == "zombie": os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
open(sys.argv[2] + ".held", "w").close()
open(sys.argv[2]).read()
if sys.argv[3] != "zombie": os.kill(child, 9)
os.waitpid(child, 0)' "$1" "$2" "$3" >/dev/null 2>&1 </dev/null &
	holder=$!
	pids+=("$holder")
	until [ -e "$2.held" ]; do kill -0 "$holder"; done
}

@test "a thread's number that is taken is refused, and nothing is left" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	snapshot_threads one
	hold "$tid" "$BATS_TEST_TMPDIR/end" sleep
	wslx restore proc --name one
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"pid $tid is taken by \"sleep\""*"--pidns"* ]]
	# At most dead: whoever adopted it may not have waited for it yet.
	until [ ! -e "/proc/$pid" ]; do
		[[ ! -e "/proc/$pid/stat" || "$(<"/proc/$pid/stat")" == *") "[ZX]* ]]
	done
	echo >"$BATS_TEST_TMPDIR/end"
	wait "$holder"
	wslx restore proc --name one
	[ "$status" -eq 0 ]
	[ -e "/proc/$pid/task/$tid" ]
}

@test "a thread's number that comes free during the restore is waited for" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	snapshot_threads one
	hold "$tid" "$BATS_TEST_TMPDIR/end" zombie
	"$WSLX" restore proc --name one 3>&- &
	restore=$!
	# It sleeps in poll(2), for the end of the holder.
	until [[ "$(<"/proc/$restore/syscall")" == 7\ * ]]; do kill -0 "$restore"; done
	[ ! -e "/proc/$pid/task/$tid" ]
	echo >"$BATS_TEST_TMPDIR/end"
	wait "$restore"
	[ -e "/proc/$pid/task/$tid" ]
}
