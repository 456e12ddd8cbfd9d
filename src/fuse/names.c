#include "fuse/request.h"

#include <errno.h>

/* What cannot change may be kept "for ever"; changes are pushed. */
#define KEEP_S (30.0 * 24 * 60 * 60)
#define KEEP_FOLDER_ATTR_S 1.0
#define KEEP_MISSING_S 1.0
/* Desktops and tools look for .hidden, .git and the like all the time. */
#define KEEP_MISSING_DOT_S 60.0

double entry_timeout(const struct tree_entry *entry)
{
	return tree_node_kind(entry->node) == NODE_CONTROL ? 0 : KEEP_S;
}

double attr_timeout(const struct tree_entry *entry)
{
	if (!entry->volatile_attr)
		return KEEP_S;
	return S_ISDIR(entry->attr.st_mode) ? KEEP_FOLDER_ATTR_S : 0;
}

/* --- lookup --- */

/* A name that is not there is an answer too, which the kernel keeps for a while. */
static int lookup_work(struct request *request, struct tree_call *call)
{
	int result = tree_lookup(request->mount->tree, call, request->node, request->name,
				 &request->entry);

	if (result != ENOENT)
		return result;
	request->entry = (struct tree_entry){.node = 0};
	return 0;
}

static void lookup_reply_missing(struct request *request)
{
	struct fuse_entry_param param = {0};

	param.entry_timeout = request->name[0] == '.' ? KEEP_MISSING_DOT_S : KEEP_MISSING_S;
	fuse_reply_entry(request->req, &param);
}

static void lookup_reply(struct request *request)
{
	const struct tree_entry *entry = &request->entry;
	struct known *known = request->mount->known;
	struct fuse_entry_param param = {
		.ino = entry->node,
		.attr = entry->attr,
		.attr_timeout = attr_timeout(entry),
		.entry_timeout = entry_timeout(entry),
	};

	if (!entry->node) {
		lookup_reply_missing(request);
		return;
	}
	/* Counted first: the kernel may forget it before we are back. */
	known_add(known, request->node, entry->node);
	if (fuse_reply_entry(request->req, &param))
		known_forget(known, entry->node, 1);
}

const struct request_kind request_lookup = {"lookup", lookup_work, lookup_reply};

/* --- getattr --- */

static int getattr_work(struct request *request, struct tree_call *call)
{
	struct tree *tree = request->mount->tree;

	if (request->opened != NULL)
		return tree_file_getattr(tree, call, request->opened->file, &request->entry);
	return tree_getattr(tree, call, request->node, &request->entry);
}

static void getattr_reply(struct request *request)
{
	fuse_reply_attr(request->req, &request->entry.attr, attr_timeout(&request->entry));
}

const struct request_kind request_getattr = {"getattr", getattr_work, getattr_reply};

/* --- statfs --- */

static int statfs_work(struct request *request, struct tree_call *call)
{
	return tree_statfs(request->mount->tree, &request->statfs);
}

static void statfs_reply(struct request *request)
{
	fuse_reply_statfs(request->req, &request->statfs);
}

const struct request_kind request_statfs = {"statfs", statfs_work, statfs_reply};
