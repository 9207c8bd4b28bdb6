; SPDX-License-Identifier: MIT
(let ((n 0))
  (loop (format t "~a~%" n)
        (finish-output)
        (incf n)
        (make-array 100000)
        (sleep 0.02)))
