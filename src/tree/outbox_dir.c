/* outbox/ and outbox/failed/: what stands in the queue, by name. Nothing here waits, but for who
 * wants the verdict on all of it. */

#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "tree/attr.h"
#include "tree/file_private.h"
#include "tree/node.h"

#include <errno.h>
#include <string.h>

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2
#define COOKIE_FAILED 3
/* Files by number, each with room for its text. */
#define COOKIE_FILES (1ull << 32)
#define DOTS 2u

#define FAILED_NAME "failed"
#define ERROR_SUFFIX ".err"

struct queue *outbox_dir_queue(const struct tree *tree)
{
	return tree->config.outbox != NULL ? outbox_queue(tree->config.outbox) : NULL;
}

static struct queue *queue_of(const struct visit *visit)
{
	return outbox_dir_queue(visit->tree);
}

static bool is_dir(uint64_t node)
{
	return tree_node_kind(node) == NODE_OUTBOX && node_outbox_what(node) == NODE_OUTBOX_DIR;
}

static bool is_failed(uint64_t dir)
{
	return node_low(dir) == NODE_OUTBOX_FAILED;
}

/* --- attributes --- */

void outbox_dir_entry(const struct visit *visit, bool failed, struct tree_entry *ret)
{
	attr_dir(ret, tree_outbox_node(failed), queue_touched_ns(queue_of(visit), failed));
	attr_set_writable(ret);
	ret->volatile_name = true;
}

/* rm(1) asks before it removes what is not writable: so what failed seems to be, as messages do. */
static void file_entry(const struct queue_file *file, struct tree_entry *ret)
{
	attr_draft(ret, node_outbox(NODE_OUTBOX_MESSAGE, file->id), file->size, file->mtime_ns);
}

static void error_entry(const struct queue_file *file, struct tree_entry *ret)
{
	g_autofree char *text = outbox_error_text(file);

	attr_draft(ret, node_outbox(NODE_OUTBOX_ERROR, file->id), strlen(text), file->mtime_ns);
}

/* Its message went a moment ago: it says nothing any more, but whoever removes both finds it. */
static void lost_error_entry(const struct visit *visit, uint32_t id, struct tree_entry *ret)
{
	attr_draft(ret, node_outbox(NODE_OUTBOX_ERROR, id), 0, visit->tree->born_ns);
}

static int get_dir(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	if (node != tree_outbox_node(false) && node != tree_outbox_node(true))
		return ESTALE;
	outbox_dir_entry(visit, is_failed(node), ret);
	return 0;
}

static int get_file(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	struct queue_file file;

	if (!queue_get(queue_of(visit), node_low(node), &file))
		return file_lost_draft(visit->tree, node, ret) ? 0 : ESTALE;
	file_entry(&file, ret);
	queue_file_clear(&file);
	return 0;
}

static int get_error(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	struct queue_file file;

	lost_error_entry(visit, node_low(node), ret);
	if (!queue_get(queue_of(visit), node_low(node), &file))
		return 0;
	if (file.step == QUEUE_FAILED)
		error_entry(&file, ret);
	queue_file_clear(&file);
	return 0;
}

static int outbox_dir_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	switch (node_outbox_what(node)) {
	case NODE_OUTBOX_DIR:
		return get_dir(visit, node, ret);
	case NODE_OUTBOX_MESSAGE:
		return get_file(visit, node, ret);
	case NODE_OUTBOX_ERROR:
		return get_error(visit, node, ret);
	}
	return ESTALE;
}

/* --- looking up --- */

static int lookup_error(const struct visit *visit, const char *name, struct tree_entry *ret)
{
	g_autofree char *message = NULL;
	struct queue_file file;

	if (!g_str_has_suffix(name, ERROR_SUFFIX))
		return ENOENT;
	message = g_strndup(name, strlen(name) - strlen(ERROR_SUFFIX));
	if (queue_find(queue_of(visit), true, message, &file)) {
		error_entry(&file, ret);
		queue_file_clear(&file);
		return 0;
	}
	if (!queue_failed_was(queue_of(visit), message))
		return ENOENT;
	lost_error_entry(visit, 0, ret);
	return 0;
}

static int outbox_dir_lookup(const struct visit *visit, uint64_t parent, const char *name,
			     struct tree_entry *ret)
{
	struct queue_file file;

	if (!is_dir(parent))
		return ENOTDIR;
	if (!is_failed(parent) && strcmp(name, FAILED_NAME) == 0) {
		outbox_dir_entry(visit, true, ret);
		return 0;
	}
	if (!queue_find(queue_of(visit), is_failed(parent), name, &file))
		return is_failed(parent) ? lookup_error(visit, name, ret) : ENOENT;
	file_entry(&file, ret);
	queue_file_clear(&file);
	return 0;
}

/* --- listing --- */

static int outbox_dir_opendir(const struct visit *visit, uint64_t node, int64_t *ret_generation,
			      uint32_t *ret_entries)
{
	g_autoptr(GPtrArray) files = NULL;

	if (!is_dir(node))
		return ENOTDIR;
	*ret_generation = queue_touched_ns(queue_of(visit), is_failed(node));
	files = queue_list(queue_of(visit), is_failed(node));
	*ret_entries = DOTS + (is_failed(node) ? 2 * files->len : 1 + files->len);
	return 0;
}

struct listing {
	uint64_t after; /* cookie */
	tree_entry_fn each;
	void *data;
};

static bool list_one(const struct listing *listing, const char *name,
		     const struct tree_entry *entry, uint64_t cookie)
{
	return cookie <= listing->after || listing->each(listing->data, name, entry, cookie);
}

static bool list_dirs(const struct visit *visit, const struct listing *listing, bool failed)
{
	struct tree_entry entry;

	outbox_dir_entry(visit, failed, &entry);
	if (!list_one(listing, ".", &entry, COOKIE_DOT))
		return false;
	if (failed)
		outbox_dir_entry(visit, false, &entry);
	else
		folder_root_entry(visit, &entry);
	if (!list_one(listing, "..", &entry, COOKIE_DOT_DOT))
		return false;
	if (failed)
		return true;
	outbox_dir_entry(visit, true, &entry);
	return list_one(listing, FAILED_NAME, &entry, COOKIE_FAILED);
}

static bool list_error(const struct listing *listing, const struct queue_file *file,
		       uint64_t cookie)
{
	g_autofree char *name = g_strconcat(file->name, ERROR_SUFFIX, NULL);
	struct tree_entry entry;

	if (cookie <= listing->after)
		return true;
	error_entry(file, &entry);
	return list_one(listing, name, &entry, cookie);
}

static bool list_file(const struct listing *listing, const struct queue_file *file, bool failed)
{
	uint64_t cookie = COOKIE_FILES + 2ull * file->id;
	struct tree_entry entry;

	file_entry(file, &entry);
	if (!list_one(listing, file->name, &entry, cookie))
		return false;
	return !failed || list_error(listing, file, cookie + 1);
}

static int outbox_dir_readdir(const struct visit *visit, uint64_t node, uint64_t cookie,
			      tree_entry_fn each, void *data)
{
	struct listing listing = {.after = cookie, .each = each, .data = data};
	g_autoptr(GPtrArray) files = NULL;

	if (!is_dir(node))
		return ENOTDIR;
	if (!list_dirs(visit, &listing, is_failed(node)))
		return 0;
	files = queue_list(queue_of(visit), is_failed(node));
	for (guint i = 0; i < files->len; i++) {
		if (!list_file(&listing, g_ptr_array_index(files, i), is_failed(node)))
			break;
	}
	return 0;
}

static int outbox_dir_open(const struct visit *visit, uint64_t node, int flags,
			   struct tree_file **ret)
{
	return is_dir(node) ? EISDIR : outbox_file_open(visit, node, flags, ret);
}

/* --- changing --- */

/* What everybody may expect is no news. */
static int failed_to(const char *what, const char *name, const GError *error)
{
	int result = error_errno(error);

	/* Too many files, not too large a one. */
	if (g_error_matches(error, MAILFS_ERROR, ERROR_LIMIT))
		result = ENOSPC;
	if (result != EBUSY && result != ENOENT && result != EEXIST)
		log_error("cannot %s %s: %s", what, name, error->message);
	return result;
}

int outbox_dir_check_size(const struct visit *visit, const char *name, uint64_t size)
{
	if (size > LIMIT_MESSAGE_SIZE)
		return EFBIG;
	if (name == NULL || !queue_name_is_mail(name))
		return 0;
	return size > outbox_size_max(visit->tree->config.outbox) ? EFBIG : 0;
}

/* 0: something may get this name in outbox/. */
static int check_name(const struct visit *visit, uint64_t dir, const char *name)
{
	if (queue_of(visit) == NULL)
		return ESTALE;
	if (!is_dir(dir))
		return ENOTDIR;
	if (is_failed(dir))
		return EPERM;
	return strlen(name) > QUEUE_NAME_MAX ? ENAMETOOLONG : 0;
}

int outbox_dir_create(const struct visit *visit, uint64_t parent, const char *name,
		      struct tree_entry *ret, struct tree_file **ret_file)
{
	g_autoptr(GError) error = NULL;
	uint32_t id;
	int result = check_name(visit, parent, name);

	if (result == 0 && strcmp(name, FAILED_NAME) == 0)
		result = EEXIST;
	if (result != 0)
		return result;
	id = queue_create(queue_of(visit), name, &error);
	if (id == 0)
		return failed_to("make", name, error);
	result = outbox_file_open_new(visit, id, ret_file);
	if (result != 0)
		return result;
	get_file(visit, (*ret_file)->node, ret);
	return 0;
}

static int remove_file(const struct visit *visit, const char *name, uint32_t id)
{
	g_autoptr(GError) error = NULL;

	if (!queue_remove(queue_of(visit), id, &error))
		return failed_to("remove", name, error);
	/* Who waits for a verdict gets none. */
	outbox_changed(visit->tree->config.outbox);
	return 0;
}

/* It goes with its message: not before, and there is nothing left to do after. */
static int remove_error(const struct visit *visit, uint32_t id)
{
	struct queue_file file;
	bool failed;

	if (!queue_get(queue_of(visit), id, &file))
		return 0;
	failed = file.step == QUEUE_FAILED;
	queue_file_clear(&file);
	return failed ? EPERM : 0;
}

int outbox_dir_unlink(const struct visit *visit, uint64_t parent, const char *name)
{
	struct tree_entry entry;
	int result = node_lookup(visit, parent, name, &entry);

	if (result != 0)
		return result;
	switch (node_outbox_what(entry.node)) {
	case NODE_OUTBOX_MESSAGE:
		return remove_file(visit, name, node_low(entry.node));
	case NODE_OUTBOX_ERROR:
		return remove_error(visit, node_low(entry.node));
	case NODE_OUTBOX_DIR:
		break;
	}
	return EISDIR;
}

/* The number of what is to be renamed. */
static int find_source(const struct visit *visit, uint64_t parent, const char *name,
		       uint64_t new_parent, uint32_t *ret_id)
{
	struct tree_entry entry;
	int result;

	if (tree_node_kind(parent) != NODE_OUTBOX)
		return EXDEV;
	result = node_lookup(visit, parent, name, &entry);
	if (result != 0)
		return result;
	if (node_outbox_what(entry.node) != NODE_OUTBOX_MESSAGE)
		return EPERM;
	if (tree_node_kind(new_parent) != NODE_OUTBOX)
		return EXDEV;
	*ret_id = node_low(entry.node);
	return 0;
}

/* What is renamed may take the name, whatever has it. */
static int check_target(const struct visit *visit, uint32_t id, const char *name, bool no_replace)
{
	struct queue_file file;
	int result = 0;

	if (strcmp(name, FAILED_NAME) == 0)
		return EISDIR;
	if (queue_find(queue_of(visit), false, name, &file)) {
		if (no_replace && file.step != QUEUE_SENT)
			result = EEXIST;
		queue_file_clear(&file);
	}
	if (result != 0 || !queue_get(queue_of(visit), id, &file))
		return result;
	result = outbox_dir_check_size(visit, name, file.size);
	queue_file_clear(&file);
	return result;
}

int outbox_dir_rename(const struct visit *visit, uint64_t parent, const char *name,
		      uint64_t new_parent, const char *new_name, bool no_replace)
{
	g_autoptr(GError) error = NULL;
	bool handed = false;
	uint32_t id;
	int result = find_source(visit, parent, name, new_parent, &id);

	if (result == 0)
		result = check_name(visit, new_parent, new_name);
	if (result == 0 && parent == new_parent && strcmp(name, new_name) == 0)
		return no_replace ? EEXIST : 0;
	if (result == 0)
		result = check_target(visit, id, new_name, no_replace);
	if (result != 0)
		return result;
	if (!queue_rename(queue_of(visit), id, new_name, &handed, &error))
		return failed_to("rename", name, error);
	/* Also if it is not handed over: who waits for a verdict on what was replaced gets none. */
	outbox_changed(visit->tree->config.outbox);
	return 0;
}

/* --- making it last --- */

int outbox_dir_fsync(const struct visit *visit, uint64_t node)
{
	struct need need = {.kind = NEED_OUTBOX,
			    .upto = (uint64_t)clock_mono_ms() + TREE_CLOSING_MS};

	/* Once: who knows what was refused is the outbox. */
	if (visit->call->give_up != 0 || visit->call->ticket != 0 ||
	    node != tree_outbox_node(false) || queue_of(visit) == NULL)
		return visit->call->give_up;
	visit->call->ticket = 1;
	return visit_need_hard(visit, &need);
}

const struct node_ops outbox_dir_ops = {
	.lookup = outbox_dir_lookup,
	.getattr = outbox_dir_getattr,
	.opendir = outbox_dir_opendir,
	.readdir = outbox_dir_readdir,
	.open = outbox_dir_open,
};
