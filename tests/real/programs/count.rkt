#lang racket/base
; SPDX-License-Identifier: MIT
(for ([i 5])
  (thread (lambda () (let loop () (make-vector 1000) (sleep 0.001) (loop)))))
(let loop ([n 0])
  (displayln n)
  (flush-output)
  (sleep 0.02)
  (loop (+ n 1)))
