% SPDX-License-Identifier: MIT
:- initialization(count(0)).
count(N) :-
	writeln(N), flush_output,
	numlist(1, 1000, L), msort(L, _),
	sleep(0.02),
	M is N + 1, count(M).
