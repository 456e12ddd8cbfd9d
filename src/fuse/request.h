/* One request of the kernel, from its handler to its one answer. The handler's is on its stack; if
 * it must be parked it moves to the heap. */
#pragma once

#include "fuse/private.h"

struct request;

struct request_kind {
	const char *name;
	/* May run more than once. An errno, 0, or TREE_AGAIN. */
	int (*work)(struct request *request, struct tree_call *call);
	/* Exactly once. Takes back what work() did if the kernel does not take the answer. */
	void (*reply)(struct request *request);
	bool ends;  /* at the end of the mount it is answered with what there is */
	bool locks; /* the kernel keeps the directory (`node`) locked until it is answered */
	bool adds;  /* the answer tells the kernel of nodes */
};

struct request {
	struct parked parked; /* first */
	const struct request_kind *kind;
	struct mount *mount;
	fuse_req_t req;

	/* What is asked; not all of it each time. Names and data are borrowed from libfuse, and
	 * ours once parked. */
	uint64_t node;
	char *name;
	uint64_t new_parent;
	char *new_name;
	char *data; /* to write; `size` bytes */
	size_t size;
	uint64_t offset;
	unsigned flags; /* of rename and setxattr */
	bool is_dir;	/* of what replay_answer.c tells of */
	struct tree_setattr setattr;
	struct fuse_file_info info;
	struct opened *opened; /* to read, write or sync; or what open made */
	struct opened *target; /* to copy to, at `target_offset` */
	uint64_t target_offset;

	uint32_t ticket; /* from run to run */

	/* The answer. */
	struct tree_entry entry;
	int64_t generation;
	uint32_t entries;
	struct statvfs statfs;
	char *buffer; /* g_malloc; `size` bytes */
	size_t len;
	GArray *added; /* of struct tree_entry: what the answer makes known */
	uint64_t copied;
	/* Of the message that is removed or renamed: its folder, and its names there. */
	uint32_t home;
	GPtrArray *names; /* NULL: it is not a message */
};

/* Runs it and answers, or parks it. Sets `mount` and `req`. */
void request_start(struct request *request, fuse_req_t req);

/* names.c: */
extern const struct request_kind request_lookup, request_getattr, request_statfs;
/* listing.c: */
extern const struct request_kind request_opendir, request_readdir, request_readdirplus;
/* content.c: */
extern const struct request_kind request_open, request_create, request_read, request_write,
	request_flush, request_fsync, request_copy;
/* listen.c: reads of what is opened as .mailfs/events */
extern const struct request_kind request_listen;
/* changing.c: */
extern const struct request_kind request_mkdir, request_rmdir, request_unlink, request_rename,
	request_setattr, request_fsyncdir;
/* xattr.c: */
extern const struct request_kind request_getxattr, request_listxattr, request_setxattr,
	request_removexattr;

/* Answers that several kinds share. */
void request_reply_done(struct request *request);
void request_reply_attr(struct request *request);
void request_reply_entry(struct request *request);

/* Its flags were written: it may be \Deleted now, so its names are not where they were. */
void message_forget(const struct mount *mount, uint64_t node);
/* listen.c. EMFILE. */
int listen_open(struct mount *mount, struct opened *opened);
int listen_reply_open(fuse_req_t req, const struct opened *opened);
void listen_poll(fuse_req_t req, const struct opened *opened, struct fuse_pollhandle *handle);
void opened_free(struct mount *mount, struct opened *opened);
/* How long the kernel may keep what it is told; seconds. */
double entry_timeout(uint64_t parent, const struct tree_entry *entry);
double attr_timeout(const struct tree_entry *entry);
/* An answer tells the kernel of `entry`; taken back if it did not get it. */
void entry_known(struct mount *mount, uint64_t parent, const struct tree_entry *entry);
