#include "fuse/request.h"

#include <errno.h>
#include <string.h>

/* What cannot change may be kept "for ever"; changes are pushed. */
#define KEEP_S (30.0 * 24 * 60 * 60)
#define KEEP_FOLDER_ATTR_S 1.0
#define KEEP_MISSING_S 1.0
/* Desktops and tools look for .hidden, .git and the like all the time. */
#define KEEP_MISSING_DOT_S 60.0

/* Of a message, its listed name alone is kept: so whoever removes or renames it has one name to
 * forget, and the kernel does that itself. */
double entry_timeout(uint64_t parent, const struct tree_entry *entry)
{
	if (entry->volatile_name)
		return 0;
	switch (tree_node_kind(entry->node)) {
	case NODE_SPECIAL:
	case NODE_FOLDER:
	case NODE_VIEW:
		return KEEP_S;
	case NODE_MESSAGE:
		return tree_node_kind(parent) == NODE_FOLDER ? KEEP_S : 0;
	default:
		return 0;
	}
}

double attr_timeout(const struct tree_entry *entry)
{
	if (tree_node_kind(entry->node) == NODE_SPOOL || tree_node_kind(entry->node) == NODE_OUTBOX)
		return 0;
	if (!entry->volatile_attr)
		return KEEP_S;
	return S_ISDIR(entry->attr.st_mode) ? KEEP_FOLDER_ATTR_S : 0;
}

/* A message may be met in a view too, or on its way into another folder: that says nothing about
 * how much of its own folder is known. */
static bool is_at_home(uint64_t parent, const struct tree_entry *entry)
{
	switch (tree_node_kind(entry->node)) {
	case NODE_SPECIAL:
	case NODE_FOLDER:
	case NODE_CONTROL:
		return true;
	case NODE_OUTBOX: /* it stands in the root; what is in it is never kept */
		return tree_node_kind(parent) == NODE_SPECIAL;
	case NODE_MESSAGE:
		return tree_node_kind(parent) == NODE_FOLDER && !entry->volatile_name;
	default:
		return false;
	}
}

void entry_known(struct mount *mount, uint64_t parent, const struct tree_entry *entry)
{
	known_add(mount->known, is_at_home(parent, entry) ? parent : 0, entry->node);
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

	if (tree_node_kind(request->node) == NODE_VIEW ||
	    tree_node_kind(request->node) == NODE_OUTBOX)
		param.entry_timeout = 0;
	else if (request->name[0] == '.')
		param.entry_timeout = KEEP_MISSING_DOT_S;
	else
		param.entry_timeout = KEEP_MISSING_S;
	fuse_reply_entry(request->req, &param);
}

static bool is_alias(const struct tree_entry *entry, const char *name)
{
	g_autofree char *alias = NULL;

	if (tree_node_kind(entry->node) != NODE_MESSAGE)
		return false;
	alias = tree_message_alias((uint32_t)entry->node);
	return strcmp(name, alias) == 0;
}

void request_reply_entry(struct request *request)
{
	const struct tree_entry *entry = &request->entry;
	struct fuse_entry_param param = {
		.ino = entry->node,
		.attr = entry->attr,
		.attr_timeout = attr_timeout(entry),
		.entry_timeout =
			is_alias(entry, request->name) ? 0 : entry_timeout(request->node, entry),
	};

	/* Counted first: the kernel may forget it before we are back. */
	entry_known(request->mount, request->node, entry);
	if (fuse_reply_entry(request->req, &param))
		known_forget(request->mount->known, entry->node, 1);
}

static void lookup_reply(struct request *request)
{
	if (request->entry.node)
		request_reply_entry(request);
	else
		lookup_reply_missing(request);
}

const struct request_kind request_lookup = {"lookup", lookup_work, lookup_reply, .locks = true,
					    .adds = true};

/* --- getattr --- */

static int getattr_work(struct request *request, struct tree_call *call)
{
	struct tree *tree = request->mount->tree;

	if (request->opened != NULL)
		return tree_file_getattr(tree, call, request->opened->file, &request->entry);
	return tree_getattr(tree, call, request->node, &request->entry);
}

void request_reply_attr(struct request *request)
{
	fuse_reply_attr(request->req, &request->entry.attr, attr_timeout(&request->entry));
}

const struct request_kind request_getattr = {"getattr", getattr_work, request_reply_attr};

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
