/* Mounts and unmounts for a process that may not: the sandbox is entered before there are threads,
 * and mounting comes later. So one thread is made before, which mounts and ends; what unmounts is
 * the watchdog, a process. */
#pragma once

#include "fuse/watchdog.h"

#include <glib.h>
#include <stdbool.h>

struct fuse_session;
struct mounter;

/* Starts the thread. To be called by the main thread, after watchdog_new() and before the sandbox.
 * NULL with ERROR_MOUNT. */
struct mounter *mounter_new(GError **error);
/* What fuse_session_mount() does, in the thread, which ends by it. Once. `*ret_mountinfo`: the
 * kernel's list of mounts then, which is out of reach later; NULL: it cannot be had. Free with
 * g_free(). */
bool mounter_mount(struct mounter *mounter, struct fuse_session *session, const char *mountpoint,
		   char **ret_mountinfo);
/* Ends the thread, if that was not done. */
void mounter_free(struct mounter **mounter);

/* Unmounts, unless that was done, and ends the watchdog. Nobody waits for the kernel any more. */
void mounter_unmount(struct fuse_session *session, struct watchdog *watchdog);
