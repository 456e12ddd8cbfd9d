/* Extended attributes: what is known without asking the server. */

#include "state/changes.h"
#include "state/spool.h"
#include "tree/node.h"
#include "tree/shown.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#define VALUE_MAX 65536
#define FLAGS_NAME "user.mail.flags"

struct attribute {
	const char *name;
	enum node_kind kind;
	/* The value, g_malloc'ed; NULL: it has none. ESTALE if the node is gone. */
	int (*get)(const struct visit *visit, uint64_t node, char **ret);
};

/* --- messages --- */

static bool is_there(void *data, const struct message_row *row)
{
	return true;
}

static int need_message(const struct visit *visit, uint64_t node)
{
	return index_message_get(visit->view, tree_node_epoch(node), node_low(node), is_there, NULL)
		       ? 0
		       : ESTALE;
}

static int get_flags(const struct visit *visit, uint64_t node, char **ret)
{
	gsize len;
	int result = flags_text(visit, node, ret, &len);

	if (result == 0)
		g_strchomp(g_strdelimit(*ret, "\n", ' '));
	return result;
}

static int get_mime_type(const struct visit *visit, uint64_t node, char **ret)
{
	int result = need_message(visit, node);

	if (result == 0)
		*ret = g_strdup("message/rfc822");
	return result;
}

static int get_uid(const struct visit *visit, uint64_t node, char **ret)
{
	int result = need_message(visit, node);

	if (result == 0)
		*ret = g_strdup_printf("%u", node_low(node));
	return result;
}

static int get_uidvalidity(const struct visit *visit, uint64_t node, char **ret)
{
	struct folder_row folder;
	int result = need_message(visit, node);

	if (result != 0)
		return result;
	if (!index_folder_by_epoch(visit->view, tree_node_epoch(node), &folder))
		return ESTALE;
	*ret = g_strdup_printf("%" G_GUINT64_FORMAT, folder.uidvalidity);
	folder_row_clear(&folder);
	return 0;
}

/* --- folders --- */

static int get_messages(const struct visit *visit, uint64_t node, char **ret)
{
	struct folder_row folder;
	uint32_t listed, deleted;
	struct shown shown;

	if (!index_folder_get(visit->view, tree_node_epoch(node), &folder))
		return ESTALE;
	shown_init(&shown, visit, &folder);
	shown_count(visit, &shown, &folder, &listed, &deleted);
	if (folder.synced)
		*ret = g_strdup_printf("%u", listed);
	folder_row_clear(&folder);
	return 0;
}

static int get_uidnext(const struct visit *visit, uint64_t node, char **ret)
{
	struct folder_row folder;

	if (!index_folder_get(visit->view, tree_node_epoch(node), &folder))
		return ESTALE;
	if (folder.synced)
		*ret = g_strdup_printf("%u", folder.uidnext);
	folder_row_clear(&folder);
	return 0;
}

/* --- files of the spool --- */

static int get_state(const struct visit *visit, uint64_t node, char **ret)
{
	static const char *const words[] = {
		[SPOOL_LOCAL] = "local",   [SPOOL_QUEUED] = "queued", [SPOOL_MARKED] = "queued",
		[SPOOL_UPLOADED] = "sent", [SPOOL_FAILED] = "failed",
	};
	struct spool_file file;

	if (!spool_get(visit->tree->config.state, node_low(node), &file))
		return ESTALE;
	*ret = g_strdup(words[file.step]);
	spool_file_clear(&file);
	return 0;
}

static int get_error(const struct visit *visit, uint64_t node, char **ret)
{
	struct spool_file file;

	if (!spool_get(visit->tree->config.state, node_low(node), &file))
		return ESTALE;
	if (file.step == SPOOL_FAILED)
		*ret = g_strdup(file.reason != NULL ? file.reason : g_strerror(file.error));
	spool_file_clear(&file);
	return 0;
}

/* --- messages of the outbox --- */

/* Its directories have no attributes: `*ret` stays NULL. */
static int get_queued(const struct visit *visit, uint64_t node,
		      char *(*tell)(const struct queue_file *file), char **ret)
{
	struct queue_file file;

	if (node_outbox_what(node) != NODE_OUTBOX_MESSAGE)
		return 0;
	if (!queue_get(outbox_dir_queue(visit->tree), node_low(node), &file))
		return ESTALE;
	*ret = tell(&file);
	queue_file_clear(&file);
	return 0;
}

static char *tell_state(const struct queue_file *file)
{
	static const char *const words[] = {
		[QUEUE_DRAFT] = "draft", [QUEUE_WAITING] = "waiting", [QUEUE_SENDING] = "sending",
		[QUEUE_SENT] = "sent",	 [QUEUE_FAILED] = "failed",
	};

	return g_strdup(words[file->step]);
}

/* Of the last try. */
static char *tell_error(const struct queue_file *file)
{
	const struct queue_info *info = &file->info;

	if (info->error == 0)
		return NULL;
	return g_strdup(info->reply != NULL ? info->reply : g_strerror(info->error));
}

static int get_queue_state(const struct visit *visit, uint64_t node, char **ret)
{
	return get_queued(visit, node, tell_state, ret);
}

static int get_queue_error(const struct visit *visit, uint64_t node, char **ret)
{
	return get_queued(visit, node, tell_error, ret);
}

static const struct attribute attributes[] = {
	{FLAGS_NAME, NODE_MESSAGE, get_flags},
	{"user.mime_type", NODE_MESSAGE, get_mime_type},
	{"user.mailfs.uid", NODE_MESSAGE, get_uid},
	{"user.mailfs.uidvalidity", NODE_MESSAGE, get_uidvalidity},
	{"user.mailfs.messages", NODE_FOLDER, get_messages},
	{"user.mailfs.uidnext", NODE_FOLDER, get_uidnext},
	{"user.mailfs.state", NODE_SPOOL, get_state},
	{"user.mailfs.error", NODE_SPOOL, get_error},
	{"user.mailfs.state", NODE_OUTBOX, get_queue_state},
	{"user.mailfs.error", NODE_OUTBOX, get_queue_error},
};

/* --- the calls --- */

static const struct attribute *find_attribute(uint64_t node, const char *name)
{
	enum node_kind kind = tree_node_kind(node);

	for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
		if (attributes[i].kind == kind && strcmp(attributes[i].name, name) == 0)
			return &attributes[i];
	}
	return NULL;
}

int tree_getxattr(struct tree *tree, struct tree_call *call, uint64_t node, const char *name,
		  char **ret, size_t *ret_len)
{
	const struct attribute *attribute = find_attribute(node, name);
	g_autofree char *value = NULL;
	struct visit visit;
	int result;

	/* Most that ask want to know about access lists: nothing is looked up for them. */
	if (attribute == NULL)
		return ENODATA;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = attribute->get(&visit, node, &value);
	visit_end(&visit);
	if (result != 0)
		return result;
	if (value == NULL)
		return ENODATA;
	*ret_len = strlen(value);
	*ret = g_steal_pointer(&value);
	return 0;
}

int tree_listxattr(struct tree *tree, struct tree_call *call, uint64_t node, char **ret,
		   size_t *ret_len)
{
	GString *names;
	struct visit visit;
	int result = visit_begin(&visit, tree, call);

	if (result != 0)
		return result;
	names = g_string_new(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(attributes) && result == 0; i++) {
		g_autofree char *value = NULL;

		if (attributes[i].kind != tree_node_kind(node))
			continue;
		result = attributes[i].get(&visit, node, &value);
		if (value != NULL)
			g_string_append_len(names, attributes[i].name,
					    (gssize)strlen(attributes[i].name) + 1);
	}
	visit_end(&visit);
	if (result == 0) {
		*ret_len = names->len;
		*ret = g_string_free(names, FALSE);
	} else {
		g_string_free(names, TRUE);
	}
	return result;
}

/* Only the node is told: it could be the copy that is meant. */
static bool is_ambiguous(struct state *state, uint64_t node)
{
	struct overlay overlay = {0};

	changes_overlay(state, tree_node_epoch(node), node_low(node), &overlay);
	return overlay.copied;
}

int tree_setxattr(struct tree *tree, struct tree_call *call, uint64_t node, const char *name,
		  const char *value, size_t len, int flags)
{
	struct visit visit;
	int result;

	if (tree_node_kind(node) != NODE_MESSAGE || strcmp(name, FLAGS_NAME) != 0)
		return EOPNOTSUPP;
	if ((flags & XATTR_CREATE) != 0)
		return EEXIST;
	if (len > VALUE_MAX)
		return E2BIG;
	if (is_ambiguous(tree->config.state, node))
		return EBUSY;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = flags_write(&visit, node, value, len);
	visit_end(&visit);
	return result;
}
