#include "fuse/private.h"
#include "fuse/replay_helper.h"
#include "fuse/request.h"

#include "base/clock.h"

#include <errno.h>

/* One function per request of the kernel: it only says what is asked. request_start() runs it,
 * parks it if something is missing, and answers. What is not here, libfuse answers with ENOSYS,
 * which the kernel remembers: no access checks (default_permissions), no ioctl. */

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

static struct opened *opened_of(const struct fuse_file_info *info)
{
	return info ? (struct opened *)(uintptr_t)info->fh : NULL;
}

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
	/* Each write comes to us at once, and O_TRUNC as a change of size. */
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

	if (replay_answer(req, REPLAY_LOOKUP, parent, name))
		return;
	request_start(&request, req);
}

/* The kernel names an open file where it has one at hand; a directory's handle is 0. */
static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct request request = {
		.kind = &request_getattr, .node = node, .opened = opened_of(info)};

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
	struct opened *opened = opened_of(info);
	struct request request = {.kind = opened && opened->stream ? &request_listen : &request_read,
				  .node = node,
				  .size = size,
				  .offset = (uint64_t)offset,
				  .info = *info,
				  .opened = opened};

	request_start(&request, req);
}

static void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct mount *mount = fuse_req_userdata(req);

	opened_free(mount, opened_of(info));
	fuse_reply_err(req, 0);
}

static void op_poll(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info,
		    struct fuse_pollhandle *handle)
{
	listen_poll(req, opened_of(info), handle);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct request request = {.kind = &request_statfs, .node = node};

	request_start(&request, req);
}

/* --- changing --- */

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *info)
{
	struct request request = {
		.kind = &request_create, .node = parent, .name = (char *)name, .info = *info};

	request_start(&request, req);
}

static void op_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	struct request request = {.kind = &request_write,
				  .node = node,
				  .data = (char *)data,
				  .size = size,
				  .offset = (uint64_t)offset,
				  .opened = opened_of(info)};

	request_start(&request, req);
}

static void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
	struct request request = {.kind = &request_flush, .node = node, .opened = opened_of(info)};

	request_start(&request, req);
}

static void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *info)
{
	struct request request = {.kind = &request_fsync, .node = node, .opened = opened_of(info)};

	request_start(&request, req);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *info)
{
	struct request request = {.kind = &request_fsyncdir, .node = node};

	request_start(&request, req);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t node, off_t offset,
			       struct fuse_file_info *info, fuse_ino_t target, off_t target_offset,
			       struct fuse_file_info *target_info, size_t size, int flags)
{
	struct request request = {.kind = &request_copy,
				  .node = node,
				  .size = size,
				  .offset = (uint64_t)offset,
				  .opened = opened_of(info),
				  .target = opened_of(target_info),
				  .target_offset = (uint64_t)target_offset};

	request_start(&request, req);
}

static int64_t mtime_of(const struct stat *attr, int to_set)
{
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		return clock_wall_ns();
	return attr->st_mtim.tv_sec * INT64_C(1000000000) + attr->st_mtim.tv_nsec;
}

static void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
		       struct fuse_file_info *info)
{
	struct request request = {
		.kind = &request_setattr,
		.node = node,
		.opened = opened_of(info),
		.setattr = {.set_size = to_set & FUSE_SET_ATTR_SIZE,
			    .size = (uint64_t)attr->st_size,
			    .set_mtime = to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW),
			    .mtime_ns = mtime_of(attr, to_set)}};

	if (replay_answer(req, REPLAY_SETATTR, node, NULL))
		return;
	request_start(&request, req);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct request request = {.kind = &request_mkdir, .node = parent, .name = (char *)name};

	if (replay_answer(req, REPLAY_MAKE, parent, name))
		return;
	if ((mode & ALLPERMS) == REPLAY_DIR_MODE)
		fuse_reply_err(req, EPERM);
	else
		request_start(&request, req);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request request = {.kind = &request_rmdir, .node = parent, .name = (char *)name};

	if (replay_answer(req, REPLAY_REMOVE, parent, name))
		return;
	request_start(&request, req);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request request = {.kind = &request_unlink, .node = parent, .name = (char *)name};

	if (replay_answer(req, REPLAY_REMOVE, parent, name))
		return;
	request_start(&request, req);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct request request = {.kind = &request_rename,
				  .node = parent,
				  .name = (char *)name,
				  .new_parent = new_parent,
				  .new_name = (char *)new_name,
				  .flags = flags};

	request_start(&request, req);
}

/* Mail programs that find no links (EPERM, and nothing else) rename instead. */
static void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	if (!replay_answer(req, REPLAY_MAKE, parent, name))
		fuse_reply_err(req, EPERM);
}

/* --- extended attributes --- */

/* The kernel remembers this: each entry of "ls -l" would cost two more requests. */
static bool has_no_xattr(fuse_req_t req)
{
	const struct mount *mount = fuse_req_userdata(req);

	if (!mount->xattr)
		fuse_reply_err(req, ENOSYS);
	return !mount->xattr;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct request request = {
		.kind = &request_getxattr, .node = node, .name = (char *)name, .size = size};

	if (!has_no_xattr(req))
		request_start(&request, req);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct request request = {.kind = &request_listxattr, .node = node, .size = size};

	if (!has_no_xattr(req))
		request_start(&request, req);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
			size_t size, int flags)
{
	struct request request = {.kind = &request_setxattr,
				  .node = node,
				  .name = (char *)name,
				  .data = (char *)value,
				  .size = size,
				  .flags = (unsigned)flags};

	if (!has_no_xattr(req))
		request_start(&request, req);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
	struct request request = {.kind = &request_removexattr, .node = node, .name = (char *)name};

	if (!has_no_xattr(req))
		request_start(&request, req);
}

/* --- forgetting --- */

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
	.poll = op_poll,
	.release = op_release,
	.statfs = op_statfs,
	.create = op_create,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fsyncdir = op_fsyncdir,
	.copy_file_range = op_copy_file_range,
	.setattr = op_setattr,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.unlink = op_unlink,
	.rename = op_rename,
	.link = op_link,
	.symlink = op_symlink,
	.mknod = op_mknod,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
};
