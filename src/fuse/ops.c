#include "fuse/private.h"
#include "fuse/request.h"

#include "base/log.h"

#include <errno.h>

/* One function per request of the kernel: it only says what is asked. request_start() runs it,
 * parks it if something is missing, and answers. What is not here, libfuse answers with ENOSYS,
 * which the kernel remembers: no flush, no access checks (default_permissions), no xattrs. */

#define MAX_BACKGROUND 4096

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
static void want(struct fuse_conn_info *conn, uint64_t flag, bool on)
{
	if (on)
		fuse_set_feature_flag(conn, flag);
	else
		fuse_unset_feature_flag(conn, flag);
}
#else
static void want(struct fuse_conn_info *conn, unsigned flag, bool on)
{
	if (on)
		conn->want |= conn->capable & flag;
	else
		conn->want &= ~flag;
}
#endif

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	want(conn, FUSE_CAP_READDIRPLUS, true);
	/* It guesses wrong for all that read names first and attributes later (find, du, grep -r).
	 * Entries that the kernel has are sent without attributes instead. */
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	/* Reads that wait could not be interrupted. */
	want(conn, FUSE_CAP_ASYNC_READ, false);
	/* Messages never change; where a size was wrong we say so. */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, false);
	want(conn, FUSE_CAP_POSIX_ACL, false);
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);
	/* Every RELEASE waits for its turn among these: with the default of 12, many readers open
	 * files faster than the kernel tells us to close them. */
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request request = {.kind = &request_lookup, .node = parent, .name = (char *)name};

	request_start(&request, req);
}

/* The kernel names an open file where it has one at hand; a directory's handle is 0. */
static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct request request = {.kind = &request_getattr,
				  .node = node,
				  .opened = info ? (struct opened *)(uintptr_t)info->fh : NULL};

	request_start(&request, req);
}

static void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct request request = {.kind = &request_opendir, .node = node, .info = *info};

	request_start(&request, req);
}

static void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
		       struct fuse_file_info *info)
{
	struct request request = {
		.kind = &request_readdir, .node = node, .size = size, .offset = (uint64_t)offset};

	request_start(&request, req);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
			   struct fuse_file_info *info)
{
	struct request request = {.kind = &request_readdirplus,
				  .node = node,
				  .size = size,
				  .offset = (uint64_t)offset};

	request_start(&request, req);
}

static void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct request request = {.kind = &request_open, .node = node, .info = *info};

	request_start(&request, req);
}

static void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	struct request request = {.kind = &request_read,
				  .node = node,
				  .size = size,
				  .offset = (uint64_t)offset,
				  .opened = (struct opened *)(uintptr_t)info->fh};

	request_start(&request, req);
}

static void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct mount *mount = fuse_req_userdata(req);

	opened_free(mount, (struct opened *)(uintptr_t)info->fh);
	fuse_reply_err(req, 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct request request = {.kind = &request_statfs, .node = node};

	request_start(&request, req);
}

static void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t lookups)
{
	const struct mount *mount = fuse_req_userdata(req);

	known_forget(mount->known, node, lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	const struct mount *mount = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		known_forget(mount->known, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.statfs = op_statfs,
};
