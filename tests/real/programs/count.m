% SPDX-License-Identifier: MIT
n = 0;
while true
  printf("%d\n", n);
  fflush(stdout);
  n++;
  garbage = rand(50) * rand(50);
  pause(0.02);
end
