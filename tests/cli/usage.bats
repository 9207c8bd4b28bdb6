#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# How the command line answers right and wrong use. $WSLX is the program.

bats_require_minimum_version 1.5.0

setup() {
	export WSLX_HOME="$BATS_TEST_TMPDIR/store"
	ESC=$'\e'
}

wslx() {
	run --separate-stderr "$WSLX" "$@"
}

# Used wrongly: status 2, nothing on standard output, a sentence that holds $1.
is_usage() {
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[[ "$stderr" == *"$1"* ]]
}

verbs() {
	"$WSLX" --help | sed -nE 's/^  ([a-z]+( [a-z-]+)?) +[A-Z].*/\1/p'
}

@test "--help lists the verbs and says what the exit status means" {
	wslx --help
	[ "$status" -eq 0 ]
	[[ "$output" == *"snap proc"*"restore proc"*"Exit status: 0 done"* ]]
	[ -z "$stderr" ]
}

@test "no verb at all is wrong use and shows the help on standard error" {
	wslx
	is_usage "VERB --help"
}

@test "--version prints one line" {
	wslx --version
	[ "$status" -eq 0 ]
	[[ "$output" =~ ^wslx\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "every verb has help, which begins with its summary" {
	[ "$(verbs | wc -l)" -ge 10 ]
	while read -r verb; do
		# shellcheck disable=SC2086
		wslx $verb --help
		[ "$status" -eq 0 ]
		[[ "$output" == *"wslx $verb"* ]]
		summary=${lines[0]}
		[[ "$("$WSLX" --help)" == *"$summary"* ]]
	done < <(verbs)
}

@test "help creates no store" {
	wslx list --help
	[ ! -e "$WSLX_HOME" ]
}

@test "every verb refuses an option that it does not have" {
	while read -r verb; do
		# shellcheck disable=SC2086
		wslx $verb --no-such-option
		is_usage "there is no option --no-such-option"
		[ ! -e "$WSLX_HOME" ]
	done < <(verbs)
}

@test "unknown verbs and half verbs" {
	wslx frobnicate
	is_usage frobnicate
	wslx snap
	is_usage snap
	wslx snap procs --pid 1 --name a
	is_usage snap
	wslx lis
	is_usage lis
}

@test "options that are missing, lack a value or have one too many" {
	wslx snap proc --name a
	is_usage "--pid is needed"
	wslx snap proc --pid 1
	is_usage "--name is needed"
	wslx snap proc --pid 1 --name
	is_usage "--name needs a value"
	wslx list --json=yes
	is_usage "--json takes no value"
}

@test "operands that are missing or too many" {
	wslx show
	is_usage "NAME is needed"
	wslx rm
	is_usage "NAME... is needed"
	wslx show a b
	is_usage 'what is "b"?'
	wslx list a
	is_usage 'what is "a"?'
	wslx verify a b
	is_usage 'what is "b"?'
}

@test "process numbers and profiles that make no sense" {
	for pid in 0 -1 1x x "" 99999999999999999999 0x10 2147483648 " 1"; do
		wslx snap proc --pid "$pid" --name a
		is_usage "not a process number"
	done
	wslx snap proc --pid $$ --name a --profile most
	is_usage "minimal, net or full"
}

@test "an empty profile is no profile" {
	wslx snap proc --pid $$ --name a --profile=
	is_usage "minimal, net or full"
}

@test "a value may follow as a word or after an equals sign" {
	for form in "--name nothing" "--name=nothing"; do
		# shellcheck disable=SC2086
		wslx restore proc $form
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"there is no snapshot nothing"* ]]
	done
}

@test "-- ends the options" {
	wslx show -- --json
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"--json"* || "$stderr" == *"name"* ]]
}

@test "--tty needs a terminal" {
	run --separate-stderr "$WSLX" restore proc --name a --tty </dev/null
	is_usage "not a terminal"
}

@test "no escape of the caller's reaches the terminal" {
	for words in "x${ESC}[31m" "list x${ESC}[31m" "list --x${ESC}[31m" "show x${ESC}[31m" \
		"rm x${ESC}[31m" "snap proc --pid x${ESC}[31m --name a" "snap proc --pid 1 --name x${ESC}[31m" \
		"restore proc --name x${ESC}[31m" "diff proc --a x${ESC}[31m --b y" \
		"diag snapshot-readiness --pid x${ESC}[31m" "diag snapshot-readiness --root /x${ESC}[31m"; do
		# shellcheck disable=SC2086
		wslx $words
		[ "$status" -ne 0 ]
		[ -n "$stderr" ]
		[[ "$output$stderr" != *"$ESC"* ]]
	done
}

@test "output that cannot be written is a failure" {
	for verb in list "list --json" gc verify "diag formats" --help; do
		# shellcheck disable=SC2086
		run --separate-stderr bash -c '"$0" "$@" >/dev/full' "$WSLX" $verb
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"standard output"* ]]
	done
}

@test "the formats are documented as tables" {
	wslx diag formats
	[ "$status" -eq 0 ]
	[[ "$output" == *"| tasks |"* || "$output" == *tasks* ]]
}
