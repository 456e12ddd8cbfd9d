/* Messages: found by the UID in their name, identified by epoch and UID. */

#include "state/changes.h"
#include "state/names.h"
#include "store/store.h"
#include "tree/attr.h"
#include "tree/file.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include <errno.h>
#include <unistd.h>

#define NS_PER_S 1000000000
#define DATE_MAX_S (INT64_MAX / NS_PER_S)

bool message_is_writable(const struct visit *visit, uint32_t folder)
{
	const struct tree_config *config = &visit->tree->config;
	struct store_rights rights;

	if (config->account->read_only)
		return false;
	if (!engine_last_rights(config->engine, folder, &rights))
		return true;
	return !rights.read_only && (rights.may & STORE_MAY_DELETE) != 0;
}

void message_entry(struct tree_entry *ret, uint32_t epoch, const struct message_row *row,
		   bool writable)
{
	int64_t date_s = CLAMP(row->date_s, -DATE_MAX_S, DATE_MAX_S);

	attr_file(ret, tree_message_node(epoch, row->uid), row->size, false);
	if (writable)
		attr_set_writable(ret);
	ret->attr.st_mtim = attr_time(date_s * NS_PER_S);
	ret->attr.st_atim = ret->attr.st_mtim;
	ret->attr.st_ctim = attr_time(row->ctime_ns);
}

void message_touch(const struct tree *tree, uint32_t folder, struct tree_entry *entry)
{
	struct state *state = tree->config.state;
	struct timespec touched = attr_time(state_touched_ns(state, folder));
	struct overlay overlay = {0};

	changes_overlay(state, tree_node_epoch(entry->node), node_low(entry->node), &overlay);
	if (overlay.pending && (touched.tv_sec > entry->attr.st_ctim.tv_sec ||
				(touched.tv_sec == entry->attr.st_ctim.tv_sec &&
				 touched.tv_nsec > entry->attr.st_ctim.tv_nsec)))
		entry->attr.st_ctim = touched;
}

struct wanted {
	uint32_t epoch;
	struct message_facts *facts;
};

static bool copy_facts(void *data, const struct message_row *row)
{
	const struct wanted *wanted = data;
	struct message_facts *facts = wanted->facts;

	message_entry(&facts->entry, wanted->epoch, row, false);
	facts->size = row->size;
	facts->size_hint = row->size_hint;
	facts->exact = row->exact;
	return true;
}

/* What only its folder tells. */
static void complete_entry(const struct visit *visit, uint32_t epoch, struct tree_entry *entry)
{
	struct folder_row folder;

	if (!index_folder_by_epoch(visit->view, epoch, &folder))
		return;
	if (message_is_writable(visit, folder.id))
		attr_set_writable(entry);
	if (changes_in(visit->tree->config.state, epoch))
		message_touch(visit->tree, folder.id, entry);
	folder_row_clear(&folder);
}

bool message_get_facts(const struct visit *visit, uint32_t epoch, uint32_t uid,
		       struct message_facts *ret)
{
	struct wanted wanted = {.epoch = epoch, .facts = ret};

	if (!index_message_get(visit->view, epoch, uid, copy_facts, &wanted))
		return false;
	complete_entry(visit, epoch, &ret->entry);
	return true;
}

/* A file can be complete before the index tells its size; what an open would give counts. */
static void correct_size(struct bodies *bodies, uint32_t epoch, struct tree_entry *entry)
{
	struct file_span span;

	if (!bodies_get(bodies, epoch, node_low(entry->node), UINT64_MAX, &span))
		return;
	close(span.fd);
	attr_set_size(entry, span.size);
}

/* A node outlives its message: what was there once and is gone is stale. One that is only hidden is
 * not. */
static int message_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	uint32_t epoch = tree_node_epoch(node);
	struct message_facts facts;

	if (!message_get_facts(visit, epoch, node_low(node), &facts))
		return ESTALE;
	if (!facts.exact)
		correct_size(visit->tree->config.bodies, epoch, &facts.entry);
	*ret = facts.entry;
	return 0;
}

/* --- names --- */

static bool copy_label(void *data, const struct message_row *row)
{
	char **ret = data;

	*ret = g_strdup(row->label);
	return false;
}

static GPtrArray *collect(const struct visit *visit, const struct folder_row *folder, uint32_t uid)
{
	const struct tree *tree = visit->tree;
	g_autofree char *label = NULL;
	GPtrArray *names;
	char *chosen;

	if (!index_message_get(visit->view, folder->epoch, uid, copy_label, &label))
		return NULL;
	names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(names, tree_message_name(tree, uid, label, folder->token));
	chosen = names_get(tree->config.state, folder->epoch, uid);
	if (chosen)
		g_ptr_array_add(names, chosen);
	return names;
}

GPtrArray *tree_message_names(struct tree *tree, uint64_t node, uint32_t *ret_folder)
{
	GPtrArray *names = NULL;
	struct folder_row folder;
	struct visit visit;

	if (visit_begin(&visit, tree, NULL) != 0)
		return NULL;
	if (index_folder_by_epoch(visit.view, tree_node_epoch(node), &folder)) {
		names = collect(&visit, &folder, node_low(node));
		*ret_folder = folder.id;
		folder_row_clear(&folder);
	}
	visit_end(&visit);
	return names;
}

const struct node_ops message_ops = {
	.getattr = message_getattr,
	.open = tree_file_open_message,
};
