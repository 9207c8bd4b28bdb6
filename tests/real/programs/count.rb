# SPDX-License-Identifier: MIT
Thread.new do
  kept = {}
  (0..).each { |i| kept[i] = "x" * 100; kept.clear if i % 20000 == 0; sleep 0.0001 }
end
(0..).each { |n| puts n; $stdout.flush; sleep 0.02 }
