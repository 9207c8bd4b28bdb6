-- SPDX-License-Identifier: MIT
local n = 0
while true do
	print(n)
	io.flush()
	n = n + 1
	local until_then = os.clock() + 0.01
	while os.clock() < until_then do local garbage = {} end
end
