#include "fuse/request.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>

/* --- open, read and close of .mailfs/events --- */

int listen_open(struct mount *mount, struct opened *opened)
{
	opened->stream = stream_open(mount->streams);
	return opened->stream ? 0 : EMFILE;
}

/* What fuse_reply_open() cannot say is that there is no position: it is locked while somebody
 * reads, and no signal gets those out of that lock who read the same open file (fork(), dup()). */
int listen_reply_open(fuse_req_t req, const struct opened *opened)
{
	const struct fuse_open_out answer = {
		.fh = (uintptr_t)opened,
		.open_flags = FOPEN_STREAM | FOPEN_NONSEEKABLE | FOPEN_DIRECT_IO | FOPEN_NOFLUSH,
	};

	return fuse_reply_buf(req, (const char *)&answer, sizeof(answer));
}

/* Whoever waits says so with a need; events settle it. */
static int events_work(struct request *request, struct tree_call *call)
{
	struct stream *stream = request->opened->stream;

	if (!request->buffer)
		request->buffer = g_malloc(MIN(request->size, STREAM_BYTES));
	request->len = stream_read(request->mount->streams, stream, request->buffer,
				   MIN(request->size, STREAM_BYTES));
	if (request->len > 0)
		return 0;
	if (request->info.flags & O_NONBLOCK)
		return EAGAIN;
	call->need = (struct need){.kind = NEED_EVENTS, .uid = stream_number(stream)};
	call->need_soft = false;
	return TREE_AGAIN;
}

static void events_reply(struct request *request)
{
	fuse_reply_buf(request->req, request->buffer, request->len);
}

const struct request_kind request_listen = {"read", events_work, events_reply, .ends = true};

void listen_ready(void *data, uint32_t reader, struct fuse_pollhandle *handle)
{
	const struct mount *mount = data;
	struct need need = {.kind = NEED_EVENTS, .uid = reader};

	park_settled(mount->park, &need, 0);
	if (handle)
		notify_poll(mount->notify, handle);
}

/* --- poll --- */

/* All else can be read and written at any time. */
static unsigned poll_events(struct mount *mount, const struct opened *opened,
			    struct fuse_pollhandle *handle)
{
	struct fuse_pollhandle *old = handle;
	unsigned events = POLLIN | POLLRDNORM;

	if (!opened || !opened->stream)
		events |= POLLOUT | POLLWRNORM;
	else if (!stream_poll(mount->streams, opened->stream, handle, &old))
		events = 0;
	if (old)
		fuse_pollhandle_destroy(old);
	return events;
}

void listen_poll(fuse_req_t req, const struct opened *opened, struct fuse_pollhandle *handle)
{
	fuse_reply_poll(req, poll_events(fuse_req_userdata(req), opened, handle));
}
