; SPDX-License-Identifier: MIT
(let loop ((n 0))
  (display n)
  (newline)
  (force-output)
  (make-vector 10000 0)
  (usleep 20000)
  (loop (+ n 1)))
