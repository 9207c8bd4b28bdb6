%% SPDX-License-Identifier: MIT
-module(count).
-export([start/0, worker/0]).

start() ->
    [spawn(?MODULE, worker, []) || _ <- lists:seq(1, 100)],
    count(0).

worker() ->
    timer:sleep(10),
    lists:sort([rand:uniform() || _ <- lists:seq(1, 100)]),
    worker().

count(N) ->
    io:format("~p~n", [N]),
    timer:sleep(20),
    count(N + 1).
