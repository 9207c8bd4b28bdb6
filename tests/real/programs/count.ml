(* SPDX-License-Identifier: MIT *)
let () =
  let rec count n =
    Printf.printf "%d\n%!" n;
    ignore (Sys.opaque_identity (Array.make 10000 0.0));
    Unix.sleepf 0.02;
    count (n + 1)
  in
  count 0
