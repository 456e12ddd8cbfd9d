#include "fuse/request.h"

#include <errno.h>
#include <string.h>

/* --- names that the kernel may still hold --- */

/* Before the change: what it was called then is what the kernel knows. Again at each run. */
static void names_note(struct request *request)
{
	struct tree *tree = request->mount->tree;
	struct tree_call no_waiting = {.give_up = ENOENT};
	struct tree_entry entry;

	g_clear_pointer(&request->names, g_ptr_array_unref);
	if (tree_lookup(tree, &no_waiting, request->node, request->name, &entry) == 0 &&
	    tree_node_kind(entry.node) == NODE_MESSAGE)
		request->names = tree_message_names(tree, entry.node, &request->home);
}

static void attr_drop(const struct mount *mount, uint64_t node)
{
	if (known_has(mount->known, node))
		notify_attr(mount->notify, node);
}

/* After the answer. The name that was used is the kernel's own business; the others that it keeps
 * (entry_timeout()) are the listed one in the message's folder, if the change came by another or
 * through a view, and whatever a rename made: that one has the time to live of the old name, but
 * may stand for something else as soon as the server has the message. */
static void names_drop(struct request *request)
{
	const struct mount *mount = request->mount;
	uint64_t home;

	if (!request->names)
		return;
	home = tree_folder_node(request->home);
	for (guint i = 0; i < request->names->len; i++) {
		const char *name = g_ptr_array_index(request->names, i);

		if (request->node != home || strcmp(name, request->name) != 0)
			notify_name(mount->notify, home, g_strdup(name), 0);
	}
	if (request->new_name)
		notify_name(mount->notify, request->new_parent, g_strdup(request->new_name), 0);
	attr_drop(mount, home);
	attr_drop(mount, tree_deleted_node(request->home));
}

void message_forget(const struct mount *mount, uint64_t node)
{
	g_autoptr(GPtrArray) names = NULL;
	uint32_t folder;

	names = tree_message_names(mount->tree, node, &folder);
	if (!names)
		return;
	for (guint i = 0; i < names->len; i++)
		notify_name(mount->notify, tree_folder_node(folder),
			    g_strdup(g_ptr_array_index(names, i)), node);
	attr_drop(mount, tree_folder_node(folder));
	attr_drop(mount, tree_deleted_node(folder));
}

/* --- unlink and rename --- */

static int unlink_work(struct request *request, struct tree_call *call)
{
	names_note(request);
	return tree_unlink(request->mount->tree, call, request->node, request->name);
}

static int rename_work(struct request *request, struct tree_call *call)
{
	names_note(request);
	return tree_rename(request->mount->tree, call, request->node, request->name,
			   request->new_parent, request->new_name, request->flags);
}

/* Of messages alone: other files are nobody's news. */
static void unlink_reply(struct request *request)
{
	request_reply_done(request);
	if (request->names)
		tell_removed(request->mount, request->node, request->name);
	names_drop(request);
}

static void rename_reply(struct request *request)
{
	request_reply_done(request);
	if (request->names)
		tell_renamed(request->mount, request->node, request->name, request->new_parent,
			     request->new_name);
	names_drop(request);
}

const struct request_kind request_unlink = {"unlink", unlink_work, unlink_reply, .locks = true};
const struct request_kind request_rename = {"rename", rename_work, rename_reply, .locks = true};

/* --- folders --- */

static int mkdir_work(struct request *request, struct tree_call *call)
{
	return tree_mkdir(request->mount->tree, call, request->node, request->name,
			  &request->entry);
}

const struct request_kind request_mkdir = {"mkdir", mkdir_work, request_reply_entry, .locks = true};

static int rmdir_work(struct request *request, struct tree_call *call)
{
	return tree_rmdir(request->mount->tree, call, request->node, request->name);
}

const struct request_kind request_rmdir = {"rmdir", rmdir_work, request_reply_done, .locks = true};

static int fsyncdir_work(struct request *request, struct tree_call *call)
{
	return tree_fsyncdir(request->mount->tree, call, request->node);
}

const struct request_kind request_fsyncdir = {"fsyncdir", fsyncdir_work, request_reply_done,
					      .locks = true};

/* --- attributes --- */

static int setattr_work(struct request *request, struct tree_call *call)
{
	return tree_setattr(request->mount->tree, call, request->node,
			    request->opened ? request->opened->file : NULL, &request->setattr,
			    &request->entry);
}

const struct request_kind request_setattr = {"setattr", setattr_work, request_reply_attr};
