/* What others did becomes events for those who watch a folder with inotify(7): the kernel tells
 * them only of what went through it, so a process of ours (replay_helper.c) does on the mount what
 * happened: mknod, unlink, chmod, mkdir, rmdir. We know its requests by its process id and answer
 * them from what is true already; nothing of it goes to the server.
 *
 * Nothing is done before the process proved that we know it: it looks for a name that only it was
 * told, and hears of an error that only we answer with. It does so in each directory before each
 * act, as we may be unmounted by then, and somebody else be mounted there, with our device number.
 * That it is taken for somebody else later is impossible, as its id stays ours until it is
 * waited for. Still what it does would change nothing here: mknod is refused to all others,
 * messages and folders are removed that are gone, chmod is ignored, and the mode that it asks mkdir
 * for is refused.
 *
 * The kernel asks anew before it makes something (LOOKUP_EXCL). So what is announced may have been
 * seen by others before: the process alone is told that it is not there, until it has made it.
 *
 * The mount is busy while the process is at work in it, and cannot be unmounted (EBUSY): so it
 * works a tenth of the time at most, in pieces as short as one act, and who tries again succeeds.
 *
 * One thread feeds the process and alone waits for it. If somebody kills the process, that is
 * logged once, and all but the events for watchers goes on: another one, forked now, would have the
 * daemon's memory, with its secrets. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fuse_req;
struct replay;

enum replay_kind {
	REPLAY_CREATE,
	REPLAY_DELETE,
	REPLAY_ATTRIB,
	REPLAY_MKDIR,
	REPLAY_RMDIR,
};

/* Forks. Before there are threads, secrets and a mount; NULL if that fails (ERROR_MOUNT). */
struct replay *replay_new(GError **error);
/* It is mounted there. `device`: st_dev. Starts the thread. */
void replay_start(struct replay *replay, const char *mountpoint, uint64_t device);
/* Ends the thread and kills the process, whose requests must still be served. NULL is fine, here
 * and below. */
void replay_stop(struct replay *replay);
/* The process, which is killed at the end; 0: there is none. */
pid_t replay_process(const struct replay *replay);
/* Waits for the process: nothing is mounted any more. */
void replay_free(struct replay **replay);

/* Any thread; never blocks. `dir`: from the root of the mount, of node `parent`. What comes too
 * fast is dropped, and the folder itself is told to have changed when that is over. */
void replay_push(struct replay *replay, enum replay_kind kind, uint64_t parent, const char *dir,
		 const char *name);
/* How long to rest behind an act that took so long. */
int64_t replay_rest_ms(int64_t took_ms);
/* The folder itself. */
void replay_push_folder(struct replay *replay, const char *dir);
/* Something can be told. */
bool replay_is_on(struct replay *replay);

/* --- requests (replay_answer.c) --- */

/* The request is the process's: it waits for nothing. */
bool replay_is_helper(const struct replay *replay, struct fuse_req *req);

enum replay_call {
	REPLAY_LOOKUP,
	REPLAY_MAKE, /* mknod or mkdir */
	REPLAY_REMOVE,
	REPLAY_SETATTR,
};

/* True if it was answered here. `name`: NULL for SETATTR. */
bool replay_answer(struct fuse_req *req, enum replay_call call, uint64_t node, const char *name);

/* What the process is to do now; false: that is not it. */
bool replay_expects(struct replay *replay, uint64_t parent, const char *name,
		    enum replay_kind *ret);
/* The name by which it knows us, and we know it. */
bool replay_is_proof(const struct replay *replay, const char *name);
