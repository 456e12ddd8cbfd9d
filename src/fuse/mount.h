/* The kernel's side: a mounted tree. Only this folder knows libfuse. */
#pragma once

#include "config/options.h"
#include "tree/tree.h"

struct mount;

/* Made before the sandbox, and borrowed. */
struct mount_helpers {
	struct watchdog *watchdog; /* armed as long as something is mounted, stopped then */
	struct replay *replay;	   /* NULL: watchers are told nothing */
	struct mounter *mounter;
};

/* Makes the session; nothing is mounted yet, so that the engine's events can be taken from the
 * start. Comes before any other thread is started: from here on SIGTERM, SIGINT and SIGHUP are
 * blocked in the caller and waited for in a thread; until something is mounted the first two end
 * the process as ever, and SIGHUP does nothing. ERROR_USAGE: an option that libfuse refuses. */
struct mount *mount_new(const struct options *options, const struct mount_helpers *helpers,
			GError **error);
/* What engine_new() gets; `data` is the mount. */
const struct engine_events *mount_events(void);
/* What outbox_new() gets, likewise. */
const struct outbox_events *mount_outbox_events(void);
/* Mounts on what mountpoint_prepare() found fit. `outbox`: NULL if there is none. ERROR_MOUNT. */
bool mount_attach(struct mount *mount, struct tree *tree, struct engine *engine,
		  struct outbox *outbox, GError **error);
/* Serves until unmounted or SIGTERM, SIGINT (SIGHUP reconnects). All parked requests are answered
 * when it returns, all files closed, and it is unmounted. ERROR_MOUNT. */
bool mount_serve(struct mount *mount, GError **error);
/* Before the tree and after engine_stop() and outbox_stop(). Detaches what was mounted but not
 * served. */
void mount_free(struct mount **mount);

/* libfuse's, for --version. */
const char *mount_library_version(void);
