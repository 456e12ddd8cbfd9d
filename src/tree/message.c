/* Messages: found by the UID in their name, identified by epoch and UID. */

#include "tree/attr.h"
#include "tree/file.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000
#define DATE_MAX_S (INT64_MAX / NS_PER_S)

void message_entry(struct tree_entry *ret, uint32_t epoch, const struct message_row *row)
{
	int64_t date_s = CLAMP(row->date_s, -DATE_MAX_S, DATE_MAX_S);

	attr_file(ret, tree_message_node(epoch, row->uid), row->size, false);
	ret->attr.st_mtim = attr_time(date_s * NS_PER_S);
	ret->attr.st_atim = ret->attr.st_mtim;
	ret->attr.st_ctim = attr_time(row->ctime_ns);
}

struct match {
	const struct tree *tree;
	const struct folder_row *folder;
	const char *name;
	bool same;
	struct tree_entry entry;
};

static bool compare_name(void *data, const struct message_row *row)
{
	struct match *match = data;
	g_autofree char *listed =
		tree_message_name(match->tree, row->uid, row->label, match->folder->token);
	g_autofree char *alias = tree_message_alias(row->uid);

	match->same = strcmp(match->name, listed) == 0 || strcmp(match->name, alias) == 0;
	message_entry(&match->entry, match->folder->epoch, row);
	return true;
}

int message_lookup(const struct visit *visit, const struct folder_row *folder, uint32_t uid,
		   const char *name, struct tree_entry *ret)
{
	struct match match = {.tree = visit->tree, .folder = folder, .name = name};

	if (!index_message_get(visit->view, folder->epoch, uid, compare_name, &match) ||
	    !match.same)
		return ENOENT;
	*ret = match.entry;
	return 0;
}

struct found {
	uint32_t epoch;
	bool exact;
	struct tree_entry entry;
};

static bool copy_entry(void *data, const struct message_row *row)
{
	struct found *found = data;

	found->exact = row->exact;
	message_entry(&found->entry, found->epoch, row);
	return true;
}

/* A file can be complete before the index tells its size; what an open would give counts. */
static void correct_size(struct bodies *bodies, struct found *found)
{
	uint64_t size;
	int fd = bodies_get(bodies, found->epoch, node_low(found->entry.node), UINT64_MAX, &size);

	if (fd < 0)
		return;
	close(fd);
	attr_set_size(&found->entry, size);
}

/* A node outlives its message: what was there once and is gone is stale. */
static int message_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	struct found found = {.epoch = tree_node_epoch(node)};

	if (!index_message_get(visit->view, found.epoch, node_low(node), copy_entry, &found))
		return ESTALE;
	if (!found.exact)
		correct_size(visit->tree->config.bodies, &found);
	*ret = found.entry;
	return 0;
}

struct wanted {
	uint32_t epoch;
	struct message_facts *facts;
};

static bool copy_facts(void *data, const struct message_row *row)
{
	const struct wanted *wanted = data;
	struct message_facts *facts = wanted->facts;

	message_entry(&facts->entry, wanted->epoch, row);
	facts->size = row->size;
	facts->size_hint = row->size_hint;
	facts->exact = row->exact;
	return true;
}

bool message_get_facts(struct index_view *view, uint32_t epoch, uint32_t uid,
		       struct message_facts *ret)
{
	struct wanted wanted = {.epoch = epoch, .facts = ret};

	return index_message_get(view, epoch, uid, copy_facts, &wanted);
}

const struct node_ops message_ops = {
	.getattr = message_getattr,
	.open = tree_file_open_message,
};
