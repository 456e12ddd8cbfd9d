#include "fuse/request.h"

#include <errno.h>
#include <string.h>

/* --- opendir --- */

static int opendir_work(struct request *request, struct tree_call *call)
{
	return tree_opendir(request->mount->tree, call, request->node, &request->generation,
			    &request->entries);
}

#define DOTS 2 /* entries that are never looked up */

static void opendir_reply(struct request *request)
{
	uint32_t children = request->entries - MIN(request->entries, DOTS);
	enum known_listing listing =
		known_listing(request->mount->known, request->node, request->generation, children);

	request->info.cache_readdir = listing != KNOWN_LISTING_NONE;
	request->info.keep_cache = listing == KNOWN_LISTING_KEEP;
	fuse_reply_open(request->req, &request->info);
}

const struct request_kind request_opendir = {"opendir", opendir_work, opendir_reply};

/* --- readdir --- */

/* libfuse returns the room that an entry needs, and writes it only if there is so much. */
static bool take_room(struct request *request, size_t needed)
{
	if (needed > request->size - request->len)
		return false;
	request->len += needed;
	return true;
}

static bool add_plain(void *data, const char *name, const struct tree_entry *entry, uint64_t cookie)
{
	struct request *request = data;

	return take_room(request, fuse_add_direntry(request->req, request->buffer + request->len,
						    request->size - request->len, name,
						    &entry->attr, (off_t)cookie));
}

static bool name_is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Attributes only for what the kernel lacks: one with node 0 is a name and an inode number, and
 * makes no lookup. */
static bool add_plus(void *data, const char *name, const struct tree_entry *entry, uint64_t cookie)
{
	struct request *request = data;
	bool lean = name_is_dots(name) || known_has(request->mount->known, entry->node);
	struct fuse_entry_param param = {
		.ino = lean ? 0 : entry->node,
		.attr = entry->attr,
		.attr_timeout = attr_timeout(entry),
		.entry_timeout = entry_timeout(request->node, entry),
	};
	size_t needed;

	needed = fuse_add_direntry_plus(request->req, request->buffer + request->len,
					request->size - request->len, name, &param, (off_t)cookie);
	if (!take_room(request, needed))
		return false;
	if (!lean)
		g_array_append_val(request->added, *entry);
	return true;
}

static int read_entries(struct request *request, struct tree_call *call, tree_entry_fn each)
{
	/* It may have waited in between. */
	if (!request->buffer) {
		request->buffer = g_malloc(request->size);
		request->added = g_array_new(FALSE, FALSE, sizeof(struct tree_entry));
	}
	return tree_readdir(request->mount->tree, call, request->node, request->offset, each,
			    request);
}

static int readdir_work(struct request *request, struct tree_call *call)
{
	return read_entries(request, call, add_plain);
}

static int readdirplus_work(struct request *request, struct tree_call *call)
{
	return read_entries(request, call, add_plus);
}

/* Counted first, and taken back if the kernel did not get it: it may forget a node before we are
 * back. */
static void readdir_reply(struct request *request)
{
	const struct tree_entry *entries = (const struct tree_entry *)(void *)request->added->data;
	struct mount *mount = request->mount;

	for (guint i = 0; i < request->added->len; i++)
		entry_known(mount, request->node, &entries[i]);
	if (!fuse_reply_buf(request->req, request->buffer, request->len))
		return;
	for (guint i = 0; i < request->added->len; i++)
		known_forget(mount->known, entries[i].node, 1);
}

const struct request_kind request_readdir = {"readdir", readdir_work, readdir_reply, .locks = true};
const struct request_kind request_readdirplus = {"readdirplus", readdirplus_work, readdir_reply,
						 .locks = true, .adds = true};
