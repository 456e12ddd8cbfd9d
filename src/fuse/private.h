/* What the files of this folder share. */
#pragma once

#include "fuse/init_patch.h"
#include "fuse/known.h"
#include "fuse/library.h"
#include "fuse/loop.h"
#include "fuse/mount.h"
#include "fuse/mounter.h"
#include "fuse/notify.h"
#include "fuse/park.h"
#include "fuse/replay.h"
#include "fuse/stream.h"
#include "fuse/watchdog.h"

#include <pthread.h>

enum mount_state {
	MOUNT_NEW,	 /* one that ends us ends the process, as if there were no handler */
	MOUNT_ATTACHING, /* a signal ends the loop as soon as it begins */
	MOUNT_ATTACHED,	 /* a signal ends the helpers, then the loop */
	MOUNT_ENDED,
};

struct mount {
	struct init_patch init_patch; /* first: the session's userdata */
	struct fuse_session *session;
	struct watchdog *watchdog; /* borrowed */
	struct replay *replay;	   /* borrowed; NULL: watchers are told nothing */
	struct mounter *mounter;   /* borrowed */
	struct tree *tree;	   /* borrowed, as the engine; from mount_attach() on */
	struct engine *engine;
	struct outbox *outbox; /* NULL: there is none */
	char *mountpoint;
	bool xattr;
	struct loop *loop;
	struct park *park;
	struct known *known;
	struct notify *notify;
	struct streams *streams;

	pthread_mutex_t mutex; /* over the rest */
	enum mount_state state;
	pthread_t signal_thread;
	bool signals_on;
	struct opened *opened; /* all open files */
};

/* An open file; fuse_file_info.fh points to it. */
struct opened {
	struct tree_file *file;
	struct stream *stream; /* of .mailfs/events; else NULL */
	struct opened *prev, *next;
};

/* mount.c. The notifier may hang in the kernel on a directory with a request in it: so first no
 * request waits any more, then the notifier ends, and only then the loop may. Once more: nothing. */
void mount_stop_helpers(struct mount *mount);

/* ops.c */
extern const struct fuse_lowlevel_ops ops_table;
void ops_abandon_all(struct mount *mount);

/* signals.c: SIGTERM and SIGINT end, SIGHUP reconnects. From signals_start() on, which must come
 * before any other thread, they are blocked everywhere but in the thread that waits for them. */
void signals_start(struct mount *mount);
void signals_stop(struct mount *mount);

/* listen.c: stream_ready_fn; `data` is the mount. */
void listen_ready(void *data, uint32_t reader, struct fuse_pollhandle *handle);

/* tell.c: to who has .mailfs/events open, and (the engine's) to watchers of folders */
void tell_news(struct mount *mount, const struct engine_news *news);
/* `why`: of failed/. */
void tell_verdict(struct mount *mount, const char *name, bool sent, const char *why);
/* This mount removed a message, or gave it another place. */
void tell_removed(struct mount *mount, uint64_t parent, const char *name);
void tell_renamed(struct mount *mount, uint64_t parent, const char *name, uint64_t new_parent,
		  const char *new_name);

/* events.c */
extern const struct engine_events events_table;
extern const struct outbox_events outbox_events_table;
