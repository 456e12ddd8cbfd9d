/* The directory to mount on. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* True if a file system can be mounted there: an existing directory, without entries unless
 * `nonempty`, not a mounted FUSE file system. What a dead daemon left mounted is detached first,
 * with a log line. Nothing of another file system is touched, as it may hang. ERROR_MOUNT.
 * `path` is absolute. */
bool mountpoint_prepare(const char *path, bool nonempty, GError **error);

/* The type of the topmost file system that mountinfo text (proc(5)) has mounted on `path`, or NULL.
 * Free with g_free(). */
char *mountpoint_type(const char *mountinfo, const char *path);

/* The device (its minor number) of that file system, if it is one of ours. */
bool mountpoint_device(const char *mountinfo, const char *path, unsigned *ret_device);
