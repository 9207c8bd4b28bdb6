/* SPDX-License-Identifier: MIT */
#include "os/wsl.h"

#include <fnmatch.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/base.h"

bool os_is_wsl(void)
{
	struct utsname uts;

	return fallback_forced("wsl") ||
	       (uname(&uts) == 0 && strstr(uts.release, "microsoft-standard-WSL2"));
}

bool os_is_wsl_process(const char *comm, const char *command)
{
	static const char *const names[] = {
		"mini_init",        "init(*", "init-systemd(*", "init-watcher", "SessionLeader",
		"Relay(*",          "GNS",    "GnsEngine",      "DnsTunneling", "GnsPortTracker",
		"SecCompDispatch*",
	};
	static const char *const commands[] = {"gns --socket *", "localhost --port-tracker-fd*",
	                                       "*plan9 --control-socket *"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!fnmatch(names[i], comm, 0))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!fnmatch(commands[i], command, 0))
			return true;
	}
	return false;
}
