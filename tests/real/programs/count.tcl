# SPDX-License-Identifier: MIT
proc tick {} {
	global n
	puts $n
	flush stdout
	incr n
	after 20 tick
}
set n 0
tick
vwait forever
