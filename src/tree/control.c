/* `.mailfs`: what the program says about itself. Nothing here waits. */

#include "base/clock.h"
#include "base/log.h"
#include "tree/attr.h"
#include "tree/file.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include <errno.h>
#include <string.h>

#define COOKIE_DOT 1
#define COOKIE_DOT_DOT 2

/* Those from EVENTS on are not listed: who reads all that is there would wait in it for ever. */
enum control {
	CONTROL_DIR,
	CONTROL_STATUS,
	CONTROL_LOG,
	CONTROL_QUEUE,
	CONTROL_EVENTS,
	CONTROL_CTL, /* of which there is nothing to read */
	CONTROL_COUNT,
};

static const char *const names[] = {
	[CONTROL_DIR] = ".mailfs", [CONTROL_STATUS] = "status", [CONTROL_LOG] = "log",
	[CONTROL_QUEUE] = "queue", [CONTROL_EVENTS] = "events", [CONTROL_CTL] = "ctl",
};

/* The queue comes last of the listed ones: it is there with an outbox alone. */
static uint32_t listed(const struct tree *tree)
{
	return tree->config.outbox != NULL ? CONTROL_QUEUE + 1 : CONTROL_QUEUE;
}

static bool is_there(const struct tree *tree, uint32_t number)
{
	return number < CONTROL_COUNT && (number != CONTROL_QUEUE || tree->config.outbox != NULL);
}

uint64_t tree_events_node(void)
{
	return node_pack(NODE_CONTROL, 0, CONTROL_EVENTS);
}

char *control_text(struct tree *tree, uint32_t number, gsize *ret_len)
{
	char *text;

	*ret_len = 0;
	if (number == CONTROL_EVENTS)
		return NULL;
	if (number == CONTROL_LOG)
		return log_ring_copy(ret_len);
	if (number == CONTROL_CTL)
		return g_strdup("");
	text = number == CONTROL_QUEUE ? outbox_text(tree->config.outbox)
				       : engine_status(tree->config.engine);
	*ret_len = strlen(text);
	return text;
}

bool control_is_written(uint64_t node)
{
	return tree_node_kind(node) == NODE_CONTROL && node_low(node) == CONTROL_CTL;
}

int control_write(struct tree *tree, const void *buffer, size_t len)
{
	g_autofree char *word = g_strndup(buffer, len);

	g_strchomp(word);
	if (strcmp(word, "reconnect") != 0)
		return EINVAL;
	engine_reconnect(tree->config.engine);
	if (tree->config.outbox)
		outbox_retry(tree->config.outbox);
	return 0;
}

bool control_grows(uint32_t number)
{
	return number == CONTROL_LOG;
}

static void control_entry(struct tree *tree, uint32_t number, struct tree_entry *ret)
{
	uint64_t node = node_pack(NODE_CONTROL, 0, number);
	g_autofree char *text = NULL;
	gsize len = 0;

	if (number == CONTROL_DIR) {
		attr_dir(ret, node, tree->born_ns);
		return;
	}
	text = control_text(tree, number, &len);
	attr_file(ret, node, len, true);
	if (number == CONTROL_CTL)
		ret->attr.st_mode = S_IFREG | S_IWUSR;
	ret->attr.st_mtim = attr_time(clock_wall_ns());
	ret->attr.st_ctim = ret->attr.st_mtim;
	ret->attr.st_atim = ret->attr.st_mtim;
}

int control_lookup_dir(const struct visit *visit, const char *name, struct tree_entry *ret)
{
	if (strcmp(name, names[CONTROL_DIR]) != 0)
		return ENOENT;
	control_entry(visit->tree, CONTROL_DIR, ret);
	return 0;
}

static int control_lookup(const struct visit *visit, uint64_t parent, const char *name,
			  struct tree_entry *ret)
{
	if (node_low(parent) != CONTROL_DIR)
		return ENOTDIR;
	for (uint32_t number = CONTROL_STATUS; number < CONTROL_COUNT; number++) {
		if (strcmp(name, names[number]) != 0 || !is_there(visit->tree, number))
			continue;
		control_entry(visit->tree, number, ret);
		return 0;
	}
	return ENOENT;
}

static int control_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	if (!is_there(visit->tree, node_low(node)))
		return ESTALE;
	control_entry(visit->tree, node_low(node), ret);
	return 0;
}

static int control_opendir(const struct visit *visit, uint64_t node, int64_t *ret_generation,
			   uint32_t *ret_entries)
{
	if (node_low(node) != CONTROL_DIR)
		return ENOTDIR;
	*ret_generation = 0;
	*ret_entries = COOKIE_DOT_DOT + listed(visit->tree) - CONTROL_STATUS;
	return 0;
}

static int control_readdir(const struct visit *visit, uint64_t node, uint64_t cookie,
			   tree_entry_fn each, void *data)
{
	struct tree_entry entry;

	if (node_low(node) != CONTROL_DIR)
		return ENOTDIR;
	control_entry(visit->tree, CONTROL_DIR, &entry);
	if (cookie < COOKIE_DOT && !each(data, ".", &entry, COOKIE_DOT))
		return 0;
	folder_root_entry(visit, &entry);
	if (cookie < COOKIE_DOT_DOT && !each(data, "..", &entry, COOKIE_DOT_DOT))
		return 0;
	for (uint32_t number = CONTROL_STATUS; number < listed(visit->tree); number++) {
		if (cookie >= COOKIE_DOT_DOT + number)
			continue;
		control_entry(visit->tree, number, &entry);
		if (!each(data, names[number], &entry, COOKIE_DOT_DOT + number))
			return 0;
	}
	return 0;
}

static int control_open(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret)
{
	char *text;
	gsize len;

	if (!is_there(visit->tree, node_low(node)))
		return ESTALE;
	if (node_low(node) == CONTROL_DIR)
		return EISDIR;
	text = control_text(visit->tree, node_low(node), &len);
	*ret = tree_file_new_text(node, text, len);
	return 0;
}

const struct node_ops control_ops = {
	.lookup = control_lookup,
	.getattr = control_getattr,
	.opendir = control_opendir,
	.readdir = control_readdir,
	.open = control_open,
};
