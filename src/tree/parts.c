/* A message taken apart: the unlisted directory "<uid>.d", which holds "flags". */

#include "store/store.h"
#include "tree/attr.h"
#include "tree/file_private.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/shown.h"
#include "tree/spot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2
#define COOKIE_FLAGS 3
#define ENTRIES 3u
#define FLAGS_NAME "flags"

/* Nothing can be made or removed in it, so it is for reading alone. The message may go any time,
 * and nobody is told then that this name goes with it. */
static void parts_entry(const struct tree_entry *message, struct tree_entry *ret)
{
	uint64_t node =
		node_pack(NODE_PARTS, tree_node_epoch(message->node), node_low(message->node));

	attr_dir(ret, node, 0);
	ret->attr.st_mtim = message->attr.st_ctim;
	ret->attr.st_ctim = message->attr.st_ctim;
	ret->attr.st_atim = message->attr.st_ctim;
	ret->volatile_name = true;
}

enum shown_result parts_find(const struct visit *visit, const struct shown *shown, const char *name,
			     enum shown_place place, struct tree_entry *ret)
{
	g_autofree char *whole = name_of_whole(name);
	struct shown_message message;
	enum shown_result result;

	if (whole == NULL)
		return SHOWN_MISSING;
	result = shown_find(visit, shown, whole, place, &message);
	if (result == SHOWN_FOUND)
		parts_entry(&message.entry, ret);
	return result;
}

static int get_entries(const struct visit *visit, uint64_t node, struct tree_entry *ret_parts,
		       struct tree_entry *ret_flags)
{
	uint32_t epoch = tree_node_epoch(node), uid = node_low(node);
	struct message_facts facts;
	g_autofree char *text = NULL;
	gsize len = 0;
	int result;

	if (!message_get_facts(visit, epoch, uid, &facts))
		return ESTALE;
	result = flags_text(visit, node, &text, &len);
	if (result != 0)
		return result;
	parts_entry(&facts.entry, ret_parts);
	attr_file(ret_flags, node_pack(NODE_FLAGS, epoch, uid), len, true);
	if (!visit->tree->config.account->read_only)
		attr_set_writable(ret_flags);
	ret_flags->attr.st_mtim = facts.entry.attr.st_ctim;
	ret_flags->attr.st_ctim = facts.entry.attr.st_ctim;
	ret_flags->attr.st_atim = facts.entry.attr.st_ctim;
	return 0;
}

static int parts_lookup(const struct visit *visit, uint64_t parent, const char *name,
			struct tree_entry *ret)
{
	struct tree_entry parts, flags;
	int result;

	if (strcmp(name, FLAGS_NAME) != 0)
		return ENOENT;
	result = get_entries(visit, parent, &parts, &flags);
	if (result == 0)
		*ret = flags;
	return result;
}

static int parts_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	struct tree_entry parts, flags;
	int result = get_entries(visit, node, &parts, &flags);

	if (result == 0)
		*ret = tree_node_kind(node) == NODE_FLAGS ? flags : parts;
	return result;
}

static int parts_opendir(const struct visit *visit, uint64_t node, int64_t *ret_generation,
			 uint32_t *ret_entries)
{
	struct tree_entry parts, flags;
	int result = get_entries(visit, node, &parts, &flags);

	if (result != 0)
		return result;
	*ret_generation = 0;
	*ret_entries = ENTRIES;
	return 0;
}

static int get_folder_entry(const struct visit *visit, uint32_t epoch, struct tree_entry *ret)
{
	struct folder_row folder;

	if (!index_folder_by_epoch(visit->view, epoch, &folder))
		return ESTALE;
	folder_entry(visit, &folder, ret);
	folder_row_clear(&folder);
	return 0;
}

static int parts_readdir(const struct visit *visit, uint64_t node, uint64_t cookie,
			 tree_entry_fn each, void *data)
{
	struct tree_entry parts, flags, folder;
	int result = get_entries(visit, node, &parts, &flags);

	if (result == 0)
		result = get_folder_entry(visit, tree_node_epoch(node), &folder);
	if (result != 0)
		return result;
	if (cookie < COOKIE_DOT && !each(data, ".", &parts, COOKIE_DOT))
		return 0;
	if (cookie < COOKIE_DOT_DOT && !each(data, "..", &folder, COOKIE_DOT_DOT))
		return 0;
	if (cookie < COOKIE_FLAGS)
		each(data, FLAGS_NAME, &flags, COOKIE_FLAGS);
	return 0;
}

const struct node_ops parts_ops = {
	.lookup = parts_lookup,
	.getattr = parts_getattr,
	.opendir = parts_opendir,
	.readdir = parts_readdir,
};

/* --- flags --- */

static int flags_open(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret)
{
	char *text;
	gsize len;
	int result;

	result = (flags & O_ACCMODE) != O_RDONLY ? spot_may_change(visit) : 0;
	if (result == 0)
		result = flags_text(visit, node, &text, &len);
	if (result == 0)
		*ret = flags_file_new(node, flags, text, len);
	return result;
}

const struct node_ops flags_ops = {
	.getattr = parts_getattr,
	.open = flags_open,
};
