/* A second process that sets free who waits for a daemon that died, and that unmounts for one that
 * locked itself up.
 *
 * The kernel ends the requests of a dead daemon when /dev/fuse is closed. But a thread that tells
 * it of a changed name waits for the lock of the directory, which a request may hold that nobody
 * will answer now: neither ends, nor can be killed. Only the abort file of fuse's control file
 * system helps then (the kernel's Documentation/filesystems/fuse.rst). */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct watchdog;

/* Starts the process. To be called by the main thread, before there is another one before there is
 * a secret and before the sandbox: the process keeps a copy of our memory. `mountpoint`: absolute.
 * NULL with ERROR_MOUNT. */
struct watchdog *watchdog_new(const char *mountpoint, GError **error);
/* From here on the connection behind the mount is aborted if we die. `device`: of its file system,
 * as in mountpoint_device(). Any thread. */
void watchdog_arm(struct watchdog *watchdog, unsigned device);
/* Detaches what is mounted there. The process has ended when it returns. False: it could not. */
bool watchdog_unmount(struct watchdog *watchdog);
/* What was mounted is no more. Ends the process and waits for its end. */
void watchdog_stop(struct watchdog *watchdog);
/* Stops it, if that was not done. */
void watchdog_free(struct watchdog **watchdog);
