/* The kernel's side: a mounted tree. Only this folder knows libfuse. */
#pragma once

#include "config/options.h"
#include "tree/tree.h"

struct mount;

/* Makes the session; nothing is mounted yet, so that the engine's events can be taken from the
 * start. */
struct mount *mount_new(const struct options *options, GError **error);
/* What engine_new() gets; `data` is the mount. */
const struct engine_events *mount_events(void);
/* Cleans a stale mountpoint of a dead daemon, then mounts. ERROR_MOUNT, ERROR_USAGE (an option that
 * libfuse refuses). */
bool mount_attach(struct mount *mount, struct tree *tree, struct engine *engine, GError **error);
/* Serves until unmounted or SIGTERM, SIGINT. All parked requests are answered when it returns, and
 * it is unmounted. */
bool mount_serve(struct mount *mount, GError **error);
void mount_free(struct mount **mount);
