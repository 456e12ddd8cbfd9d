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

void opened_free(struct mount *mount, struct opened *opened)
{
	pthread_mutex_lock(&mount->mutex);
	*(opened->prev ? &opened->prev->next : &mount->opened) = opened->next;
	if (opened->next)
		opened->next->prev = opened->prev;
	pthread_mutex_unlock(&mount->mutex);
	tree_close(mount->tree, &opened->file);
	g_free(opened);
}

void ops_close_all(struct mount *mount)
{
	while (mount->opened)
		opened_free(mount, mount->opened);
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
	if (result == 0)
		request->opened = opened_new(request->mount, file);
	return result;
}

static void open_reply(struct request *request)
{
	struct tree_file *file = request->opened->file;
	struct fuse_file_info *info = &request->info;

	info->fh = (uintptr_t)request->opened;
	info->direct_io = tree_file_is_text(file);
	info->keep_cache = !info->direct_io;
	info->noflush = true;
	if (tree_file_take_resized(file))
		drop_attr(request->mount, request->node);
	if (fuse_reply_open(request->req, info))
		opened_free(request->mount, request->opened);
}

const struct request_kind request_open = {"open", open_work, open_reply};

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
