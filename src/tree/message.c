/* Messages: found by the UID in their name, identified by epoch and UID. */

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
	if (!engine_rights(config->engine, folder, &rights))
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

/* Of one whose folder nobody named. */
static bool is_writable(const struct visit *visit, uint32_t epoch)
{
	struct folder_row folder;
	bool writable;

	if (visit->tree->config.account->read_only ||
	    !index_folder_by_epoch(visit->view, epoch, &folder))
		return false;
	writable = message_is_writable(visit, folder.id);
	folder_row_clear(&folder);
	return writable;
}

struct wanted {
	uint32_t epoch;
	bool writable;
	struct message_facts *facts;
};

static bool copy_facts(void *data, const struct message_row *row)
{
	const struct wanted *wanted = data;
	struct message_facts *facts = wanted->facts;

	message_entry(&facts->entry, wanted->epoch, row, wanted->writable);
	facts->size = row->size;
	facts->size_hint = row->size_hint;
	facts->exact = row->exact;
	return true;
}

bool message_get_facts(const struct visit *visit, uint32_t epoch, uint32_t uid,
		       struct message_facts *ret)
{
	struct wanted wanted = {.epoch = epoch, .facts = ret};

	wanted.writable = is_writable(visit, epoch);
	return index_message_get(visit->view, epoch, uid, copy_facts, &wanted);
}

/* A file can be complete before the index tells its size; what an open would give counts. */
static void correct_size(struct bodies *bodies, uint32_t epoch, struct tree_entry *entry)
{
	uint64_t size;
	int fd = bodies_get(bodies, epoch, node_low(entry->node), UINT64_MAX, &size);

	if (fd < 0)
		return;
	close(fd);
	attr_set_size(entry, size);
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

const struct node_ops message_ops = {
	.getattr = message_getattr,
	.open = tree_file_open_message,
};
