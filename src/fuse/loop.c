#include "fuse/loop.h"

#include "base/clock.h"
#include "tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	LINGER_NS = 50000, /* to wake a sleeping processor takes a virtual machine 20000 */
	VAIN_MAX = 6,
};

struct loop {
	struct fuse_session *session;
	unsigned threads;
	loop_at_once_fn is_at_once;
	void *data;
	int wake;   /* an eventfd: readable from loop_end() on */
	bool alone; /* on one processor who lingers holds up who shall ask */
	pthread_mutex_t lock;
	pthread_cond_t resigned;
	bool led;
	atomic_uint busy; /* threads that serve what is not quick */
	int error;	  /* negative; 0: none */
	/* the leader's own */
	unsigned vain;	/* it lingered so often in succession: */
	unsigned pause; /* so many times more it does not */
};

struct loop *loop_new(struct fuse_session *session, unsigned threads, loop_at_once_fn is_at_once,
		      void *data)
{
	struct loop *loop = g_new0(struct loop, 1);

	loop->session = session;
	loop->threads = threads;
	loop->is_at_once = is_at_once;
	loop->data = data;
	loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake < 0)
		g_error("cannot make an eventfd: %s", g_strerror(errno));
	loop->alone = g_get_num_processors() < 2;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->resigned, NULL);
	return loop;
}

void loop_free(struct loop **loop)
{
	struct loop *old = g_steal_pointer(loop);

	if (!old)
		return;
	close(old->wake);
	pthread_cond_destroy(&old->resigned);
	pthread_mutex_destroy(&old->lock);
	g_free(old);
}

void loop_end(struct loop *loop)
{
	const uint64_t one = 1;

	fuse_session_exit(loop->session);
	while (write(loop->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* --- leading --- */

static void lead(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	while (loop->led)
		pthread_cond_wait(&loop->resigned, &loop->lock);
	loop->led = true;
	pthread_mutex_unlock(&loop->lock);
}

static void resign(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->led = false;
	pthread_cond_signal(&loop->resigned);
	pthread_mutex_unlock(&loop->lock);
}

/* -EAGAIN: nothing came in that time. */
static int linger(struct loop *loop, struct fuse_buf *buffer)
{
	int64_t until_ns = clock_mono_ns() + LINGER_NS;
	int result;

	if (atomic_load(&loop->busy) > 0)
		return -EAGAIN;
	if (loop->pause > 0) {
		loop->pause--;
		return -EAGAIN;
	}
	do
		result = fuse_session_receive_buf(loop->session, buffer);
	while (result == -EAGAIN && atomic_load(&loop->busy) == 0 && clock_mono_ns() < until_ns);
	loop->vain = result == -EAGAIN ? MIN(loop->vain + 1, VAIN_MAX) : 0;
	loop->pause = loop->vain ? 1u << loop->vain : 0;
	return result;
}

static void wait_for_request(const struct loop *loop)
{
	struct pollfd fds[] = {{.fd = fuse_session_fd(loop->session), .events = POLLIN},
			       {.fd = loop->wake, .events = POLLIN}};

	poll(fds, G_N_ELEMENTS(fds), -1);
}

/* As fuse_session_receive_buf(), but that it waits: its length, 0 at the end, or -errno. */
static int receive(struct loop *loop, struct fuse_buf *buffer, bool lingers)
{
	int result = lingers && !loop->alone ? linger(loop, buffer) : -EAGAIN;

	while ((result == -EAGAIN || result == -EINTR) && !fuse_session_exited(loop->session)) {
		wait_for_request(loop);
		result = fuse_session_receive_buf(loop->session, buffer);
	}
	return result;
}

/* Of what was removed, RELEASE may have to wait for the disk. */
static bool is_quick(const struct loop *loop, const struct fuse_buf *buffer)
{
	const struct fuse_in_header *header = buffer->mem;

	return (header->opcode == FUSE_OPEN || header->opcode == FUSE_RELEASE) &&
	       loop->is_at_once(loop->data, header->nodeid);
}

/* The leader's part. True: there is a request that is not quick in the buffer. */
static bool serve_quick(struct loop *loop, struct fuse_buf *buffer)
{
	bool quick = false;
	int len;

	while ((len = receive(loop, buffer, quick)) > 0 && (quick = is_quick(loop, buffer))) {
		fuse_session_process_buf(loop->session, buffer);
		/* They may wait for this processor. */
		if (atomic_load(&loop->busy) > 0)
			sched_yield();
	}
	if (len < 0 && !fuse_session_exited(loop->session)) {
		loop->error = len;
		loop_end(loop);
	}
	return len > 0 && !fuse_session_exited(loop->session);
}

static void *work(void *data)
{
	struct loop *loop = data;
	struct fuse_buf buffer = {0};
	bool goes_on = true;

	while (goes_on) {
		lead(loop);
		goes_on = !fuse_session_exited(loop->session) && serve_quick(loop, &buffer);
		if (goes_on)
			atomic_fetch_add(&loop->busy, 1);
		resign(loop);
		if (goes_on) {
			fuse_session_process_buf(loop->session, &buffer);
			atomic_fetch_sub(&loop->busy, 1);
			/* INIT may have ended the session. */
			if (fuse_session_exited(loop->session))
				loop_end(loop);
		}
	}
	free(buffer.mem);
	return NULL;
}

/* This thread dies at once if the process is killed, even while another one hangs on a disk: the
 * watchdog relies on it. */
int loop_run(struct loop *loop)
{
	g_autofree pthread_t *workers = g_new(pthread_t, loop->threads);
	int fd = fuse_session_fd(loop->session);

	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return -errno;
	for (unsigned i = 0; i < loop->threads; i++) {
		if (pthread_create(&workers[i], NULL, work, loop))
			g_error("cannot start a thread");
	}
	for (unsigned i = 0; i < loop->threads; i++)
		pthread_join(workers[i], NULL);
	return loop->error;
}
