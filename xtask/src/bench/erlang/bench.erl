%% The work of the guest programs, for Erlang: what each does is said in tests/guests/rust/src/bin.
-module(bench).
-export([main/1]).

main([What | Texts]) ->
    Numbers = [list_to_integer(Text) || Text <- Texts],
    %% Not in the process that starts the system, whose messages and heap are others'.
    {_, Ref} = spawn_monitor(fun() -> run(What, Numbers) end),
    receive {'DOWN', Ref, process, _, normal} -> halt(0); {'DOWN', Ref, process, _, _} -> halt(1) end.

run("ping_pong", [Count]) ->
    Main = self(),
    Echo = spawn_link(fun() -> echo(Main) end),
    rate(Count, fun() -> ping(Echo, Count) end);
run("one_way", [Count, Bytes]) ->
    Main = self(),
    Sink = spawn_link(fun() -> take(Count), Main ! done end),
    rate(Count, fun() -> give(Sink, binary:copy(<<0>>, Bytes), Count), receive done -> ok end end);
run("to_one", [Actors, Messages]) ->
    Main = self(),
    Senders = [spawn_link(fun() -> receive go -> give(Main, binary:copy(<<0>>, 64), Messages) end end)
               || _ <- lists:seq(1, Actors)],
    rate(Actors * Messages, fun() -> [Sender ! go || Sender <- Senders], take(Actors * Messages) end);
run("to_all", [Actors, Messages, Peers]) ->
    Main = self(),
    Crowd = list_to_tuple([spawn_link(fun() -> exchange(Main, Messages) end) || _ <- lists:seq(1, Actors)]),
    Step = max(Actors div Peers, 1),
    Of = fun(Index) -> [element((Index + Number * Step) rem Actors + 1, Crowd) || Number <- lists:seq(1, Peers)] end,
    [element(Index + 1, Crowd) ! {peers, Of(Index)} || Index <- lists:seq(0, Actors - 1)],
    [receive ready -> ok end || _ <- lists:seq(1, Actors)],
    rate(Actors * Messages, fun() ->
        [Actor ! go || Actor <- tuple_to_list(Crowd)],
        [receive done -> ok end || _ <- lists:seq(1, Actors)]
    end);
run("spawn_reply", [Count]) ->
    Main = self(),
    Took = [microseconds(fun() -> spawn(fun() -> Main ! Index end), receive Index -> ok end end)
            || Index <- lists:seq(1, Count)],
    percentiles(Took);
run("sleep", [Spinners, Samples]) ->
    Spinning = [spawn(fun spin/0) || _ <- lists:seq(1, Spinners)],
    Took = [microseconds(fun() -> receive after 1 -> ok end end) || _ <- lists:seq(1, Samples)],
    [exit(Spinner, kill) || Spinner <- Spinning],
    percentiles(Took).

echo(Main) -> receive Number -> Main ! Number, echo(Main) end.

ping(_, 0) -> ok;
ping(Echo, Count) -> Echo ! Count, receive Count -> ping(Echo, Count - 1) end.

give(_, _, 0) -> ok;
give(To, Message, Count) -> To ! Message, give(To, Message, Count - 1).

take(0) -> ok;
take(Count) -> receive Message when is_binary(Message) -> take(Count - 1) end.

exchange(Main, Messages) ->
    receive {peers, Peers} -> Main ! ready end,
    Early = begin_when_told(0),
    around(Peers, Peers, binary:copy(<<0>>, 64), Messages),
    take(Messages - Early),
    Main ! done.

begin_when_told(Early) ->
    receive go -> Early; Message when is_binary(Message) -> begin_when_told(Early + 1) end.

around(_, _, _, 0) -> ok;
around([], All, Message, Count) -> around(All, All, Message, Count);
around([Peer | Peers], All, Message, Count) -> Peer ! Message, around(Peers, All, Message, Count - 1).

spin() -> spin().

rate(Count, Work) ->
    Nanoseconds = nanoseconds(Work),
    io:format("per_second=~w~n", [round(Count * 1.0e9 / Nanoseconds)]).

microseconds(Work) -> nanoseconds(Work) / 1000.

nanoseconds(Work) ->
    Started = erlang:monotonic_time(nanosecond),
    Work(),
    max(erlang:monotonic_time(nanosecond) - Started, 1).

percentiles(Took) ->
    Sorted = lists:sort(Took),
    At = fun(Percent) -> lists:nth((length(Sorted) - 1) * Percent div 100 + 1, Sorted) end,
    io:format("p50_us=~.3f p99_us=~.3f~n", [float(At(50)), float(At(99))]).
