#include "tree/tree.h"

#include "base/clock.h"
#include "base/log.h"
#include "tree/file_private.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/spot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define STATFS_BLOCK_BYTES 4096
/* Free space where there is no quota: file managers refuse to copy to a full file system. */
#define STATFS_FREE_BYTES (1ull << 50)
#define TOTALS_MS 5000

static void view_free(void *view)
{
	struct index_view *owned = view;

	index_view_free(&owned);
}

struct tree *tree_new(const struct tree_config *config, GError **error)
{
	struct index_view *view = index_view_new(config->index, error);
	struct tree *tree;

	if (view == NULL)
		return NULL;
	tree = g_new0(struct tree, 1);
	tree->config = *config;
	tree->born_ns = clock_wall_ns();
	pthread_mutex_init(&tree->lock, NULL);
	tree->lately = lately_new();
	tree->drafts = g_ptr_array_new();
	tree->views = g_ptr_array_new_with_free_func(view_free);
	g_ptr_array_add(tree->views, view);
	return tree;
}

void tree_free(struct tree **tree)
{
	if (*tree == NULL)
		return;
	g_ptr_array_unref((*tree)->views);
	g_ptr_array_unref((*tree)->drafts);
	lately_free(&(*tree)->lately);
	pthread_mutex_destroy(&(*tree)->lock);
	g_free(*tree);
	*tree = NULL;
}

int visit_begin(struct visit *visit, struct tree *tree, struct tree_call *call)
{
	g_autoptr(GError) error = NULL;

	*visit = (struct visit){.tree = tree, .call = call};
	/* A damaged index reads as empty, which would tell lies about what there is. */
	if (index_is_damaged(tree->config.index))
		return EIO;
	pthread_mutex_lock(&tree->lock);
	if (tree->views->len > 0)
		visit->view = g_ptr_array_steal_index_fast(tree->views, tree->views->len - 1);
	pthread_mutex_unlock(&tree->lock);
	if (visit->view == NULL)
		visit->view = index_view_new(tree->config.index, &error);
	if (visit->view != NULL)
		return 0;
	log_error("cannot read the index: %s", error->message);
	return EIO;
}

void visit_end(struct visit *visit)
{
	pthread_mutex_lock(&visit->tree->lock);
	g_ptr_array_add(visit->tree->views, visit->view);
	pthread_mutex_unlock(&visit->tree->lock);
	visit->view = NULL;
}

static int visit_again(const struct visit *visit, const struct need *need, bool soft)
{
	visit->call->need = *need;
	visit->call->need_soft = soft;
	return TREE_AGAIN;
}

int visit_need_hard(const struct visit *visit, const struct need *need)
{
	if (visit->call->give_up != 0)
		return visit->call->give_up;
	return visit_again(visit, need, false);
}

int visit_need_soft(const struct visit *visit, const struct need *need)
{
	if (visit->call->give_up != 0 || engine_is_stalled(visit->tree->config.engine))
		return 0;
	return visit_again(visit, need, true);
}

/* NULL for a number that was never a node's. */
static const struct node_ops *ops_of(const struct tree *tree, uint64_t node)
{
	static const struct node_ops *const table[] = {
		[NODE_SPECIAL] = &folder_ops,	 [NODE_FOLDER] = &folder_ops,
		[NODE_MESSAGE] = &message_ops,	 [NODE_CONTROL] = &control_ops,
		[NODE_SPOOL] = &draft_ops,	 [NODE_VIEW] = &view_ops,
		[NODE_PARTS] = &parts_ops,	 [NODE_FLAGS] = &flags_ops,
		[NODE_OUTBOX] = &outbox_dir_ops,
	};
	enum node_kind kind = tree_node_kind(node);

	if ((kind == NODE_SPECIAL && node != NODE_ROOT) ||
	    (kind == NODE_OUTBOX && tree->config.outbox == NULL))
		return NULL;
	return (size_t)kind < G_N_ELEMENTS(table) ? table[kind] : NULL;
}

int node_lookup(const struct visit *visit, uint64_t parent, const char *name,
		struct tree_entry *ret)
{
	const struct node_ops *ops = ops_of(visit->tree, parent);

	if (ops == NULL)
		return ESTALE;
	if (ops->lookup == NULL)
		return ENOTDIR;
	if (strlen(name) > NAME_MAX_BYTES)
		return ENAMETOOLONG;
	return ops->lookup(visit, parent, name, ret);
}

int tree_lookup(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
		struct tree_entry *ret)
{
	struct visit visit;
	int result = visit_begin(&visit, tree, call);

	if (result != 0)
		return result;
	result = node_lookup(&visit, parent, name, ret);
	visit_end(&visit);
	return result;
}

int tree_getattr(struct tree *tree, struct tree_call *call, uint64_t node, struct tree_entry *ret)
{
	const struct node_ops *ops = ops_of(tree, node);
	struct visit visit;
	int result;

	if (ops == NULL)
		return ESTALE;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = ops->getattr(&visit, node, ret);
	visit_end(&visit);
	return result;
}

int tree_opendir(struct tree *tree, struct tree_call *call, uint64_t node, int64_t *ret_generation,
		 uint32_t *ret_entries)
{
	const struct node_ops *ops = ops_of(tree, node);
	struct visit visit;
	int result;

	if (ops == NULL)
		return ESTALE;
	if (ops->opendir == NULL)
		return ENOTDIR;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = ops->opendir(&visit, node, ret_generation, ret_entries);
	visit_end(&visit);
	return result;
}

int tree_readdir(struct tree *tree, struct tree_call *call, uint64_t node, uint64_t cookie,
		 tree_entry_fn each, void *data)
{
	const struct node_ops *ops = ops_of(tree, node);
	struct visit visit;
	int result;

	if (ops == NULL)
		return ESTALE;
	if (ops->readdir == NULL)
		return ENOTDIR;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = ops->readdir(&visit, node, cookie, each, data);
	visit_end(&visit);
	return result;
}

static bool asks_for_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

/* Messages are never written to, and what the program says of itself neither. What may be in the
 * outbox, the outbox says. */
static int check_writing(const struct visit *visit, uint64_t node)
{
	enum node_kind kind = tree_node_kind(node);
	int result;

	if (kind == NODE_OUTBOX || control_is_written(node))
		return 0;
	result = spot_may_change(visit);
	if (result != 0)
		return result;
	return kind == NODE_SPOOL || kind == NODE_FLAGS ? 0 : EPERM;
}

int tree_open(struct tree *tree, struct tree_call *call, uint64_t node, int flags,
	      struct tree_file **ret)
{
	const struct node_ops *ops = ops_of(tree, node);
	struct visit visit;
	int result;

	if (ops == NULL)
		return ESTALE;
	if (ops->open == NULL)
		return EISDIR;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	if (asks_for_writing(flags))
		result = check_writing(&visit, node);
	if (result == 0)
		result = ops->open(&visit, node, flags, ret);
	visit_end(&visit);
	return result;
}

static int set_attributes(const struct visit *visit, uint64_t node, struct tree_file *file,
			  const struct tree_setattr *setattr)
{
	int result;

	if (tree_node_kind(node) == NODE_OUTBOX)
		return outbox_file_setattr(visit, node, file, setattr);
	if (control_is_written(node)) /* there is nothing in it to be cut */
		return 0;
	result = spot_may_change(visit);
	if (result != 0)
		return result;
	switch (tree_node_kind(node)) {
	case NODE_SPOOL:
		return draft_setattr(visit, node, file, setattr);
	case NODE_FLAGS: /* what is not written through `file` is cut already */
		return setattr->set_size && file != NULL ? flags_file_truncate(file, setattr->size)
							 : 0;
	default:
		return setattr->set_size ? EPERM : 0;
	}
}

int tree_setattr(struct tree *tree, struct tree_call *call, uint64_t node, struct tree_file *file,
		 const struct tree_setattr *setattr, struct tree_entry *ret)
{
	struct visit visit;
	int result = visit_begin(&visit, tree, call);

	if (result != 0)
		return result;
	result = set_attributes(&visit, node, file, setattr);
	visit_end(&visit);
	if (result != 0)
		return result;
	return file != NULL ? tree_file_getattr(tree, call, file, ret)
			    : tree_getattr(tree, call, node, ret);
}

/* The folder whose changes are meant; INDEX_ROOT: all. 0: there are none. */
static uint32_t folder_to_sync(uint64_t node)
{
	enum node_kind kind = tree_node_kind(node);

	if (kind == NODE_FOLDER || kind == NODE_VIEW || node == NODE_ROOT)
		return tree_node_epoch(node);
	return 0;
}

int tree_fsyncdir(struct tree *tree, struct tree_call *call, uint64_t node)
{
	struct need need = {.kind = NEED_CHANGES, .id = folder_to_sync(node)};
	struct visit visit = {.tree = tree, .call = call};
	struct state *state = tree->config.state;
	unsigned pending;

	if (tree_node_kind(node) == NODE_OUTBOX)
		return outbox_dir_fsync(&visit, node);
	if (call->give_up != 0 || need.id == 0)
		return call->give_up;
	pending = need.id == INDEX_ROOT ? state_pending(state) : state_pending_of(state, need.id);
	if (call->ticket != 0 && pending == 0)
		return 0;
	/* Once in any case: who knows what was refused is the engine. */
	if (call->ticket == 0)
		need.upto = (uint64_t)clock_mono_ms() + TREE_CLOSING_MS;
	call->ticket = 1;
	return visit_need_hard(&visit, &need);
}

static int get_totals(struct tree *tree, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	int64_t now_ms = clock_mono_ms();
	struct visit visit;
	bool known;
	int result;

	pthread_mutex_lock(&tree->lock);
	known = tree->totals_until_ms != 0 && now_ms < tree->totals_until_ms;
	*ret_bytes = tree->total_bytes;
	*ret_messages = tree->total_messages;
	pthread_mutex_unlock(&tree->lock);
	if (known)
		return 0;
	result = visit_begin(&visit, tree, NULL);
	if (result != 0)
		return result;
	index_totals(visit.view, ret_bytes, ret_messages);
	visit_end(&visit);
	pthread_mutex_lock(&tree->lock);
	tree->total_bytes = *ret_bytes;
	tree->total_messages = *ret_messages;
	tree->totals_until_ms = now_ms + TOTALS_MS;
	pthread_mutex_unlock(&tree->lock);
	return 0;
}

int tree_statfs(struct tree *tree, struct statvfs *ret)
{
	uint64_t used = 0, messages = 0, limit, total;
	int result = get_totals(tree, &used, &messages);

	if (result != 0)
		return result;
	/* Sizes are the server's word: a sum of them may be anything. */
	total = MIN(used, STATFS_FREE_BYTES) + STATFS_FREE_BYTES;
	used = total - STATFS_FREE_BYTES;
	if (engine_quota(tree->config.engine, &used, &limit)) {
		used = MIN(used, limit);
		total = limit;
	}
	memset(ret, 0, sizeof(*ret));
	ret->f_bsize = STATFS_BLOCK_BYTES;
	ret->f_frsize = STATFS_BLOCK_BYTES;
	ret->f_blocks = total / STATFS_BLOCK_BYTES + (total % STATFS_BLOCK_BYTES != 0);
	ret->f_bfree = (total - used) / STATFS_BLOCK_BYTES;
	ret->f_bavail = ret->f_bfree;
	ret->f_files = messages;
	ret->f_namemax = NAME_MAX_BYTES;
	return 0;
}

char *tree_message_name(const struct tree *tree, uint32_t uid, const char *label, const char *token)
{
	bool plain = tree->config.account->names == NAMES_UID || *label == '\0';

	return name_of_message(uid, plain ? token : label);
}

char *tree_message_alias(uint32_t uid)
{
	return g_strdup_printf("%u.eml", uid);
}

char *tree_folder_name(uint32_t parent, const char *leaf)
{
	return name_from_raw(leaf, parent == INDEX_ROOT);
}
