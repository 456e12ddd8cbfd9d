#include "tree/file.h"

#include "tree/attr.h"
#include "tree/node.h"
#include "tree/tree_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum file_state {
	FILE_TEXT,     /* a control file */
	FILE_PART,     /* the start of a message */
	FILE_COMPLETE, /* all of it; stays so, and `fd` with it */
};

struct tree_file {
	pthread_mutex_t lock; /* guards what follows the numbers */
	uint32_t epoch;
	uint32_t uid;
	uint32_t control;

	enum file_state state;
	struct tree_entry entry; /* of a message, when it was last seen */
	int fd;
	uint64_t size;	   /* COMPLETE: of the file; else what the index says */
	uint64_t received; /* PART: bytes that `fd` holds */
	uint64_t asked;	   /* `received` when the rest was asked for */
	bool exact;
	int resized; /* sign of the size less its hint, once exact */
	bool told;   /* `resized` was taken */
	char *text;
	gsize text_len;
};

static struct tree_file *file_new(enum file_state state, int fd)
{
	struct tree_file *file = g_new0(struct tree_file, 1);

	pthread_mutex_init(&file->lock, NULL);
	file->state = state;
	file->fd = fd;
	return file;
}

void tree_close(struct tree *tree, struct tree_file **file)
{
	if (*file == NULL)
		return;
	if ((*file)->fd >= 0)
		close((*file)->fd);
	g_free((*file)->text);
	pthread_mutex_destroy(&(*file)->lock);
	g_free(*file);
	*file = NULL;
}

bool tree_file_is_text(const struct tree_file *file)
{
	return file->control != 0;
}

int tree_file_take_resized(struct tree_file *file)
{
	int taken;

	pthread_mutex_lock(&file->lock);
	taken = file->told ? 0 : file->resized;
	file->told = file->told || taken != 0;
	pthread_mutex_unlock(&file->lock);
	return taken;
}

/* --- messages --- */

static int need_body(const struct visit *visit, const struct tree_file *file, uint64_t upto)
{
	struct need need = {.kind = NEED_BODY, .id = file->epoch, .uid = file->uid, .upto = upto};

	return visit_need_hard(visit, &need);
}

static void replace_fd_locked(struct tree_file *file, int fd)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
}

static void set_size_locked(struct tree_file *file, const struct message_facts *facts,
			    uint64_t size, bool exact)
{
	file->entry = facts->entry;
	attr_set_size(&file->entry, size);
	file->size = size;
	file->exact = exact;
	file->resized = exact ? (size > facts->size_hint) - (size < facts->size_hint) : 0;
}

/* Looks how far the message has come. */
static void refresh_locked(struct tree_file *file, struct bodies *bodies,
			   const struct message_facts *facts)
{
	uint64_t size = 0, received = 0;
	int fd = bodies_get(bodies, file->epoch, file->uid, facts->exact ? facts->size : UINT64_MAX,
			    &size);

	if (fd >= 0) {
		replace_fd_locked(file, fd);
		set_size_locked(file, facts, size, true);
		file->state = FILE_COMPLETE;
		return;
	}
	set_size_locked(file, facts, facts->size, facts->exact);
	fd = bodies_get_part(bodies, file->epoch, file->uid, &received);
	/* A part that was begun anew may hold less than ours does. */
	if (fd >= 0 && received > file->received) {
		replace_fd_locked(file, fd);
		file->received = received;
	} else if (fd >= 0) {
		close(fd);
	}
}

int tree_file_open_message(const struct visit *visit, uint64_t node, struct tree_file **ret)
{
	struct tree_file *file;
	struct message_facts facts;
	bool whole;
	int result;

	if (!message_get_facts(visit->view, tree_node_epoch(node), node_low(node), &facts))
		return ESTALE;
	engine_opened(visit->tree->config.engine, tree_node_epoch(node), node_low(node));
	file = file_new(FILE_PART, -1);
	file->epoch = tree_node_epoch(node);
	file->uid = node_low(node);
	pthread_mutex_lock(&file->lock);
	refresh_locked(file, visit->tree->config.bodies, &facts);
	pthread_mutex_unlock(&file->lock);
	whole = facts.size <= TREE_WHOLE_MAX;
	if (file->state == FILE_COMPLETE || (!whole && file->received > 0)) {
		*ret = file;
		return 0;
	}
	result = need_body(visit, file, whole ? UINT64_MAX : 1);
	tree_close(visit->tree, &file);
	return result;
}

/* 0, or EIO. Short only at the end of the file. */
static int read_fd(int fd, uint64_t offset, size_t len, void *buffer, size_t *ret_len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buffer + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return EIO;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return 0;
}

struct range {
	uint64_t offset;
	size_t len;
	void *buffer;
	size_t *ret_len;
};

/* With the size exact, what lies behind it is no part of the range. */
static uint64_t range_end_locked(const struct tree_file *file, const struct range *range)
{
	uint64_t end = range->offset + range->len;

	return file->exact ? MIN(end, file->size) : end;
}

/* A range that touches an announced end can be answered only if the end is certain: the kernel
 * takes a full answer up to there for all. */
static bool is_covered_locked(const struct tree_file *file, const struct range *range)
{
	uint64_t end = range_end_locked(file, range);

	return (file->exact || end < file->size) && end <= file->received;
}

static int read_part_locked(const struct tree_file *file, const struct range *range)
{
	uint64_t end = range_end_locked(file, range);
	size_t want = range->offset < end ? (size_t)(end - range->offset) : 0, got = 0;
	int result = read_fd(file->fd, range->offset, want, range->buffer, &got);

	if (result != 0 || got < want)
		return EIO;
	*range->ret_len = got;
	return 0;
}

/* True, once for each length, if the reader comes near the end of what is there. */
static bool wants_more_locked(struct tree_file *file, struct bodies *bodies,
			      const struct range *range)
{
	uint64_t received;

	if (range->offset + range->len + TREE_AHEAD_BYTES < file->received)
		return false;
	received = MAX(bodies_received(bodies, file->epoch, file->uid), file->received);
	if (range->offset + range->len + TREE_AHEAD_BYTES < received || file->asked >= received)
		return false;
	file->asked = received;
	return true;
}

/* Nobody waits for this. */
static void ask_ahead(struct tree *tree, const struct tree_file *file, uint64_t asked)
{
	struct need need = {
		.kind = NEED_BODY, .id = file->epoch, .uid = file->uid, .upto = asked + 1};

	engine_need(tree->config.engine, &need);
}

static int read_covered(struct tree *tree, struct tree_file *file, const struct range *range)
{
	uint64_t asked = 0;
	bool more = false;
	int result;

	pthread_mutex_lock(&file->lock);
	result = read_part_locked(file, range);
	if (result == 0) {
		more = wants_more_locked(file, tree->config.bodies, range);
		asked = file->asked;
	}
	pthread_mutex_unlock(&file->lock);
	if (more)
		ask_ahead(tree, file, asked);
	return result;
}

/* What the range needs is known only after another look at index and bodies. */
static int find_more(const struct visit *visit, struct tree_file *file, const struct range *range)
{
	struct message_facts facts;
	enum file_state state;
	uint64_t end;
	bool covered, touches;

	if (!message_get_facts(visit->view, file->epoch, file->uid, &facts))
		return ESTALE;
	pthread_mutex_lock(&file->lock);
	if (file->state == FILE_PART)
		refresh_locked(file, visit->tree->config.bodies, &facts);
	state = file->state;
	end = range->offset + range->len;
	covered = is_covered_locked(file, range);
	touches = end >= file->size;
	pthread_mutex_unlock(&file->lock);
	if (state == FILE_COMPLETE || covered)
		return 0;
	return need_body(visit, file, touches ? UINT64_MAX : end);
}

static int read_message(struct tree *tree, struct tree_call *call, struct tree_file *file,
			const struct range *range)
{
	enum file_state state;
	struct visit visit;
	bool covered;
	int fd, result;

	pthread_mutex_lock(&file->lock);
	covered = file->state == FILE_COMPLETE || is_covered_locked(file, range);
	pthread_mutex_unlock(&file->lock);
	if (!covered) {
		result = visit_begin(&visit, tree, call);
		if (result != 0)
			return result;
		result = find_more(&visit, file, range);
		visit_end(&visit);
		if (result != 0)
			return result;
	}
	pthread_mutex_lock(&file->lock);
	state = file->state;
	fd = file->fd;
	pthread_mutex_unlock(&file->lock);
	if (state == FILE_COMPLETE)
		return read_fd(fd, range->offset, range->len, range->buffer, range->ret_len);
	return read_covered(tree, file, range);
}

static uint64_t file_node(const struct tree_file *file)
{
	return file->control != 0 ? node_pack(NODE_CONTROL, 0, file->control)
				  : tree_message_node(file->epoch, file->uid);
}

int tree_file_getattr(struct tree *tree, struct tree_call *call, struct tree_file *file,
		      struct tree_entry *ret)
{
	int result = tree_getattr(tree, call, file_node(file), ret);

	if (result != ESTALE || file->control != 0)
		return result;
	pthread_mutex_lock(&file->lock);
	*ret = file->entry;
	pthread_mutex_unlock(&file->lock);
	ret->attr.st_nlink = 0;
	return 0;
}

/* --- control files --- */

struct tree_file *tree_file_new_control(struct tree *tree, uint32_t number)
{
	struct tree_file *file = file_new(FILE_TEXT, -1);

	file->control = number;
	file->text = control_text(tree, number, &file->text_len);
	return file;
}

/* The text is that of the open, so that many small reads fit together; one that grows is looked at
 * again at its end. */
static void read_text(struct tree *tree, struct tree_file *file, const struct range *range)
{
	uint64_t end = range->offset + range->len;

	pthread_mutex_lock(&file->lock);
	if (end > file->text_len && control_grows(file->control)) {
		g_free(file->text);
		file->text = control_text(tree, file->control, &file->text_len);
	}
	end = MIN(end, file->text_len);
	*range->ret_len = range->offset < end ? (size_t)(end - range->offset) : 0;
	if (*range->ret_len > 0)
		memcpy(range->buffer, file->text + range->offset, *range->ret_len);
	pthread_mutex_unlock(&file->lock);
}

int tree_read(struct tree *tree, struct tree_call *call, struct tree_file *file, uint64_t offset,
	      size_t len, void *buffer, size_t *ret_len)
{
	struct range range = {.offset = offset, .len = len, .buffer = buffer, .ret_len = ret_len};

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return EINVAL;
	if (file->control == 0)
		return read_message(tree, call, file, &range);
	read_text(tree, file, &range);
	return 0;
}
