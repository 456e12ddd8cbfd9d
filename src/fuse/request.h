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
};

struct request {
	struct parked parked; /* first */
	const struct request_kind *kind;
	struct mount *mount;
	fuse_req_t req;

	/* What is asked; not all of it each time. */
	uint64_t node;
	char *name; /* borrowed from libfuse; ours once parked */
	size_t size;
	uint64_t offset;
	struct fuse_file_info info;
	struct opened *opened; /* to read from; or what open made */

	/* The answer. */
	struct tree_entry entry;
	int64_t generation;
	uint32_t entries;
	struct statvfs statfs;
	char *buffer; /* g_malloc; `size` bytes */
	size_t len;
	GArray *added; /* of uint64_t: nodes that the answer makes known */
};

/* Runs it and answers, or parks it. Sets `mount` and `req`. */
void request_start(struct request *request, fuse_req_t req);

/* names.c: */
extern const struct request_kind request_lookup, request_getattr, request_statfs;
/* listing.c: */
extern const struct request_kind request_opendir, request_readdir, request_readdirplus;
/* content.c: */
extern const struct request_kind request_open, request_read;

void opened_free(struct mount *mount, struct opened *opened);
/* How long the kernel may keep what it is told; seconds. */
double entry_timeout(const struct tree_entry *entry);
double attr_timeout(const struct tree_entry *entry);
