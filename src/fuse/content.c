#include "fuse/request.h"

#include <errno.h>

/* --- open files --- */

static struct opened *opened_new(struct mount *mount, struct tree_file *file)
{
	struct opened *opened = g_new0(struct opened, 1);

	opened->file = file;
	pthread_mutex_lock(&mount->mutex);
	opened->next = mount->opened;
	if (opened->next)
		opened->next->prev = opened;
	mount->opened = opened;
	pthread_mutex_unlock(&mount->mutex);
	return opened;
}

static void opened_remove(struct mount *mount, struct opened *opened)
{
	pthread_mutex_lock(&mount->mutex);
	*(opened->prev ? &opened->prev->next : &mount->opened) = opened->next;
	if (opened->next)
		opened->next->prev = opened->prev;
	pthread_mutex_unlock(&mount->mutex);
}

void opened_free(struct mount *mount, struct opened *opened)
{
	opened_remove(mount, opened);
	stream_close(mount->streams, &opened->stream);
	tree_close(mount->tree, &opened->file);
	g_free(opened);
}

/* Either somebody still had it open, or the kernel dropped the news of its close with the mount. */
void ops_abandon_all(struct mount *mount)
{
	struct opened *opened;

	while ((opened = mount->opened)) {
		opened_remove(mount, opened);
		stream_close(mount->streams, &opened->stream);
		tree_abandon(mount->tree, &opened->file);
		g_free(opened);
	}
}

/* Attributes only: that takes no lock that a request may hold, so any thread may. */
static void drop_attr(const struct mount *mount, uint64_t node)
{
	fuse_lowlevel_notify_inval_inode(mount->session, node, -1, 0);
}

/* --- open --- */

static int open_work(struct request *request, struct tree_call *call)
{
	struct tree_file *file;
	int result;

	result = tree_open(request->mount->tree, call, request->node, request->info.flags, &file);
	if (result != 0)
		return result;
	request->opened = opened_new(request->mount, file);
	if (request->node == tree_events_node())
		result = listen_open(request->mount, request->opened);
	if (result != 0)
		opened_free(request->mount, request->opened);
	return result;
}

/* A message never changes, so its pages stay and its close is nobody's business. What can be
 * written to must hear of each close; pages of an earlier open may be old. */
static void open_settings(struct request *request)
{
	struct fuse_file_info *info = &request->info;
	bool is_message = tree_node_kind(request->node) == NODE_MESSAGE;

	info->fh = (uintptr_t)request->opened;
	info->direct_io = tree_file_is_text(request->opened->file);
	info->keep_cache = is_message && !info->direct_io;
	info->noflush = is_message;
}

static void open_reply(struct request *request)
{
	struct opened *opened = request->opened;

	open_settings(request);
	if (tree_file_take_resized(opened->file))
		drop_attr(request->mount, request->node);
	if (opened->stream ? listen_reply_open(request->req, opened)
			   : fuse_reply_open(request->req, &request->info))
		opened_free(request->mount, opened);
}

const struct request_kind request_open = {"open", open_work, open_reply};

/* --- create --- */

static int create_work(struct request *request, struct tree_call *call)
{
	struct tree_file *file;
	int result;

	result = tree_create(request->mount->tree, call, request->node, request->name,
			     &request->entry, &file);
	if (result == 0)
		request->opened = opened_new(request->mount, file);
	return result;
}

static void create_reply(struct request *request)
{
	const struct tree_entry *entry = &request->entry;
	struct fuse_entry_param param = {
		.ino = entry->node,
		.attr = entry->attr,
		.attr_timeout = attr_timeout(entry),
		.entry_timeout = entry_timeout(request->node, entry),
	};

	request->info.fh = (uintptr_t)request->opened;
	entry_known(request->mount, request->node, entry);
	if (!fuse_reply_create(request->req, &param, &request->info))
		return;
	known_forget(request->mount->known, entry->node, 1);
	opened_free(request->mount, request->opened);
}

const struct request_kind request_create = {"create", create_work, create_reply, .locks = true};

/* --- read --- */

static int read_work(struct request *request, struct tree_call *call)
{
	if (!request->buffer)
		request->buffer = g_malloc(request->size);
	return tree_read(request->mount->tree, call, request->opened->file, request->offset,
			 request->size, request->buffer, &request->len);
}

/* If the message is longer than announced, the reader must ask for the size before it takes this
 * answer for the end. If it is shorter, the kernel learns that from this answer and must hear
 * nothing else before it has looked at it: else it fills up with zeros. */
static void read_reply(struct request *request)
{
	if (tree_file_take_resized(request->opened->file) > 0)
		drop_attr(request->mount, request->node);
	fuse_reply_buf(request->req, request->buffer, request->len);
}

const struct request_kind request_read = {"read", read_work, read_reply};

/* --- write and what ends it --- */

static int write_work(struct request *request, struct tree_call *call)
{
	return tree_write(request->mount->tree, call, request->opened->file, request->offset,
			  request->size, request->data);
}

/* The message whose flags were changed has another ctime now, which who wrote may look at next. 0:
 * there is none. */
static uint64_t drop_changed(struct request *request)
{
	uint64_t message;

	if (tree_node_kind(request->node) != NODE_FLAGS ||
	    !tree_file_take_changed(request->opened->file))
		return 0;
	message = tree_message_node(tree_node_epoch(request->node), (uint32_t)request->node);
	drop_attr(request->mount, message);
	return message;
}

static void write_reply(struct request *request)
{
	uint64_t message = drop_changed(request);

	fuse_reply_write(request->req, request->size);
	if (message != 0)
		message_forget(request->mount, message);
}

static void flush_reply(struct request *request)
{
	uint64_t message = drop_changed(request);

	request_reply_done(request);
	if (message != 0)
		message_forget(request->mount, message);
}

const struct request_kind request_write = {"write", write_work, write_reply};

static int flush_work(struct request *request, struct tree_call *call)
{
	return tree_flush(request->mount->tree, call, request->opened->file);
}

const struct request_kind request_flush = {"flush", flush_work, flush_reply};

static int fsync_work(struct request *request, struct tree_call *call)
{
	return tree_fsync(request->mount->tree, call, request->opened->file);
}

const struct request_kind request_fsync = {"fsync", fsync_work, flush_reply};

/* --- copy --- */

static int copy_work(struct request *request, struct tree_call *call)
{
	return tree_copy(request->mount->tree, call, request->opened->file, request->offset,
			 request->target->file, request->target_offset, request->size,
			 &request->copied);
}

static void copy_reply(struct request *request)
{
	fuse_reply_write(request->req, request->copied);
}

const struct request_kind request_copy = {"copy_file_range", copy_work, copy_reply};
