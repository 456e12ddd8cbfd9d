#include "fuse/mounter.h"
#include "fuse/library.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum mounter_state {
	MOUNTER_WAITING,
	MOUNTER_TOLD,
	MOUNTER_DISMISSED,
};

struct mounter {
	pthread_t thread;
	bool joined;
	pthread_mutex_t mutex; /* over the rest */
	pthread_cond_t wake;
	enum mounter_state state;
	struct fuse_session *session;
	const char *mountpoint;
	bool mounted;
	char *mountinfo;
};

static void *mounter_main(void *data)
{
	struct mounter *mounter = data;
	enum mounter_state state;

	pthread_mutex_lock(&mounter->mutex);
	while (mounter->state == MOUNTER_WAITING)
		pthread_cond_wait(&mounter->wake, &mounter->mutex);
	state = mounter->state;
	pthread_mutex_unlock(&mounter->mutex);
	/* Without the lock: fusermount3 may take its time. Who told us waits. */
	if (state != MOUNTER_TOLD)
		return NULL;
	mounter->mounted = fuse_session_mount(mounter->session, mounter->mountpoint) == 0;
	if (mounter->mounted)
		g_file_get_contents("/proc/self/mountinfo", &mounter->mountinfo, NULL, NULL);
	return NULL;
}

/* Signals are for others. */
static int start_thread(struct mounter *mounter)
{
	sigset_t all, saved;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	err = pthread_create(&mounter->thread, NULL, mounter_main, mounter);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return err;
}

struct mounter *mounter_new(GError **error)
{
	struct mounter *mounter = g_new0(struct mounter, 1);
	int err;

	pthread_mutex_init(&mounter->mutex, NULL);
	pthread_cond_init(&mounter->wake, NULL);
	err = start_thread(mounter);
	if (err == 0)
		return mounter;
	g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "cannot start a thread: %s", g_strerror(err));
	mounter->joined = true;
	mounter_free(&mounter);
	return NULL;
}

static void end_thread(struct mounter *mounter, enum mounter_state state)
{
	if (mounter->joined)
		return;
	pthread_mutex_lock(&mounter->mutex);
	mounter->state = state;
	pthread_cond_signal(&mounter->wake);
	pthread_mutex_unlock(&mounter->mutex);
	pthread_join(mounter->thread, NULL);
	mounter->joined = true;
}

bool mounter_mount(struct mounter *mounter, struct fuse_session *session, const char *mountpoint,
		   char **ret_mountinfo)
{
	mounter->session = session;
	mounter->mountpoint = mountpoint;
	end_thread(mounter, MOUNTER_TOLD);
	if (mounter->mounted)
		*ret_mountinfo = g_steal_pointer(&mounter->mountinfo);
	return mounter->mounted;
}

void mounter_free(struct mounter **mounter)
{
	struct mounter *old = *mounter;

	if (!old)
		return;
	end_thread(old, MOUNTER_DISMISSED);
	pthread_cond_destroy(&old->wake);
	pthread_mutex_destroy(&old->mutex);
	g_clear_pointer(mounter, g_free);
}

/* It is not mounted any more, or was aborted. */
static bool is_gone(int device)
{
	struct pollfd fd = {.fd = device};

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR);
}

/* The kernel shall not wait for us while it unmounts, so /dev/fuse is closed first; its number goes
 * to a pipe, as libfuse closes it once more. With the other end of that closed, it looks to libfuse
 * as if nothing were mounted: what is mounted there then is not ours. */
static void unmount(int device, struct watchdog *watchdog, int *ret_end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || dup3(fds[1], device, O_CLOEXEC) < 0) {
		log_error("cannot unmount: %s", g_strerror(errno));
		return;
	}
	close(fds[1]);
	*ret_end = fds[0];
	if (!watchdog_unmount(watchdog))
		return;
	close(fds[0]);
	*ret_end = -1;
}

void mounter_unmount(struct fuse_session *session, struct watchdog *watchdog)
{
	int device = fuse_session_fd(session);
	int end = -1;

	if (device >= 0 && !is_gone(device))
		unmount(device, watchdog, &end);
	/* Here it tries itself, if that failed. */
	fuse_session_unmount(session);
	if (end >= 0)
		close(end);
	watchdog_stop(watchdog);
}
