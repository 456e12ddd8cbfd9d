#include "fuse/init_patch.h"

#include "base/log.h"

#include <glib.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#if INIT_PATCH_NEEDED

static void see_request(struct init_patch *patch, const void *bytes, size_t len)
{
	struct fuse_in_header header;
	struct fuse_init_in init;
	bool offered;

	/* The kernel sends nothing else before INIT was answered. */
	if (len < sizeof(header) + offsetof(struct fuse_init_in, flags) + sizeof(init.flags))
		goto done;
	memcpy(&header, bytes, sizeof(header));
	memset(&init, 0, sizeof(init));
	memcpy(&init, (const char *)bytes + sizeof(header),
	       MIN(sizeof(init), len - sizeof(header)));
	offered = header.opcode == FUSE_INIT && init.major == FUSE_KERNEL_VERSION &&
		  (init.flags & FUSE_PARALLEL_DIROPS);
	if (!offered)
		goto done;
	patch->unique = header.unique;
	atomic_store(&patch->state, INIT_PATCH_REPLY);
	return;
done:
	atomic_store(&patch->state, INIT_PATCH_DONE);
}

static bool is_init_reply(const struct init_patch *patch, const struct iovec *iov, int count)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	const struct fuse_init_out *init;

	if (count != 2 || iov[0].iov_len != sizeof(*header) || iov[1].iov_len != sizeof(*init))
		return false;
	init = iov[1].iov_base;
	return header->unique == patch->unique && header->error == 0 &&
	       init->major == FUSE_KERNEL_VERSION;
}

static ssize_t read_request(int fd, void *bytes, size_t size, void *userdata)
{
	struct init_patch *patch = userdata;
	ssize_t len = read(fd, bytes, size);

	if (atomic_load(&patch->state) == INIT_PATCH_REQUEST && len > 0)
		see_request(patch, bytes, (size_t)len);
	return len;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct init_patch *patch = userdata;

	if (atomic_load(&patch->state) == INIT_PATCH_REPLY) {
		if (is_init_reply(patch, iov, count))
			((struct fuse_init_out *)iov[1].iov_base)->flags |= FUSE_PARALLEL_DIROPS;
		atomic_store(&patch->state, INIT_PATCH_DONE);
	}
	return writev(fd, iov, count);
}

bool init_patch_install(struct fuse_session *session)
{
	static const struct fuse_custom_io io = {.read = read_request, .writev = write_reply};

	return fuse_session_custom_io(session, &io, fuse_session_fd(session)) == 0;
}

#else

bool init_patch_install(struct fuse_session *session)
{
	return true;
}

#endif
