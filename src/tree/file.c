#include "tree/file_private.h"

#include "base/log.h"
#include "cache/held.h"
#include "state/changes.h"
#include "tree/attr.h"
#include "tree/node.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000

struct tree_file *file_new(uint64_t node, int fd)
{
	struct tree_file *file = g_new0(struct tree_file, 1);

	pthread_mutex_init(&file->lock, NULL);
	file->node = node;
	file->fd = fd;
	return file;
}

static enum node_kind kind_of(const struct tree_file *file)
{
	return tree_node_kind(file->node);
}

static void file_free(struct tree_file **file)
{
	if ((*file)->fd >= 0)
		close((*file)->fd);
	held_release(&(*file)->held);
	g_free((*file)->text);
	if ((*file)->written != NULL)
		g_string_free((*file)->written, TRUE);
	pthread_mutex_destroy(&(*file)->lock);
	g_free(*file);
	*file = NULL;
}

void tree_close(struct tree *tree, struct tree_file **file)
{
	if (*file == NULL)
		return;
	if (kind_of(*file) == NODE_SPOOL)
		draft_close(tree, *file);
	else if (kind_of(*file) == NODE_OUTBOX)
		outbox_file_close(tree, *file);
	file_free(file);
}

void tree_abandon(struct tree *tree, struct tree_file **file)
{
	if (kind_of(*file) == NODE_SPOOL)
		draft_abandon(tree, *file);
	else if (kind_of(*file) == NODE_OUTBOX)
		outbox_file_abandon(tree, *file);
	file_free(file);
}

bool tree_file_is_text(const struct tree_file *file)
{
	return kind_of(file) == NODE_CONTROL || kind_of(file) == NODE_FLAGS ||
	       (kind_of(file) == NODE_OUTBOX && node_outbox_what(file->node) == NODE_OUTBOX_ERROR);
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

int file_read_fd(int fd, const struct file_range *range)
{
	size_t done = 0;

	while (done < range->len) {
		ssize_t n = pread(fd, (char *)range->buffer + done, range->len - done,
				  (off_t)(range->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return EIO;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*range->ret_len = done;
	return 0;
}

/* --- drafts --- */

struct tree_file *file_new_draft(struct tree *tree, uint64_t node, int fd, bool writer)
{
	struct tree_file *file = file_new(node, fd);

	file->writer = writer;
	pthread_mutex_lock(&tree->lock);
	g_ptr_array_add(tree->drafts, file);
	pthread_mutex_unlock(&tree->lock);
	return file;
}

void file_forget_draft(struct tree *tree, struct tree_file *file)
{
	pthread_mutex_lock(&tree->lock);
	g_ptr_array_remove_fast(tree->drafts, file);
	pthread_mutex_unlock(&tree->lock);
}

void file_set_write_error(struct tree_file *file, int error)
{
	pthread_mutex_lock(&file->lock);
	file->write_error = error;
	pthread_mutex_unlock(&file->lock);
}

int file_get_write_error(struct tree_file *file)
{
	int error;

	pthread_mutex_lock(&file->lock);
	error = file->write_error;
	pthread_mutex_unlock(&file->lock);
	return error;
}

bool file_stat_draft(struct tree *tree, uint64_t node, struct stat *ret)
{
	bool found = false;

	pthread_mutex_lock(&tree->lock);
	for (guint i = 0; i < tree->drafts->len && !found; i++) {
		const struct tree_file *file = g_ptr_array_index(tree->drafts, i);

		found = file->node == node && fstat(file->fd, ret) == 0;
	}
	pthread_mutex_unlock(&tree->lock);
	return found;
}

bool file_lost_draft(struct tree *tree, uint64_t node, struct tree_entry *ret)
{
	struct stat attr;

	if (!file_stat_draft(tree, node, &attr))
		return false;
	attr_draft(ret, node, (uint64_t)attr.st_size,
		   (int64_t)attr.st_mtim.tv_sec * NS_PER_S + attr.st_mtim.tv_nsec);
	ret->attr.st_nlink = 0;
	return true;
}

/* --- messages --- */

static uint32_t epoch_of(const struct tree_file *file)
{
	return tree_node_epoch(file->node);
}

static int need_body(const struct visit *visit, const struct tree_file *file, uint64_t upto)
{
	struct need need = {
		.kind = NEED_BODY, .id = epoch_of(file), .uid = node_low(file->node), .upto = upto};

	return visit_need_hard(visit, &need);
}

static void replace_fd_locked(struct tree_file *file, int fd, uint64_t start)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
	file->start = start;
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

/* True if it is known to be whole without a look at the disk. */
static bool hold_locked(struct tree_file *file, struct bodies *bodies,
			const struct message_facts *facts)
{
	if (facts->exact)
		file->held = held_take(bodies_held(bodies), epoch_of(file), node_low(file->node),
				       facts->size);
	if (!file->held)
		return false;
	set_size_locked(file, facts, facts->size, true);
	file->complete = true;
	return true;
}

/* Looks how far the message has come. */
static void refresh_locked(struct tree_file *file, struct bodies *bodies,
			   const struct message_facts *facts)
{
	struct file_span span;
	uint64_t received = 0;
	int fd;

	if (bodies_get(bodies, epoch_of(file), node_low(file->node),
		       facts->exact ? facts->size : UINT64_MAX, &span)) {
		replace_fd_locked(file, span.fd, span.start);
		set_size_locked(file, facts, span.size, true);
		file->complete = true;
		return;
	}
	set_size_locked(file, facts, facts->size, facts->exact);
	fd = bodies_get_part(bodies, epoch_of(file), node_low(file->node), &received);
	/* A part that was begun anew may hold less than ours does. */
	if (fd >= 0 && received > file->received) {
		replace_fd_locked(file, fd, 0);
		file->received = received;
	} else if (fd >= 0) {
		close(fd);
	}
}

/* How much must have arrived before it is open: 0 if its size can be told without. */
static uint64_t wanted_at_open(const struct visit *visit, const struct message_facts *facts)
{
	enum sizes_trust trust = engine_trusts_sizes(visit->tree->config.engine);

	if (trust == SIZES_TRUE || (trust == SIZES_UNPROVEN && facts->exact))
		return 0;
	return facts->size <= TREE_WHOLE_MAX ? UINT64_MAX : 1;
}

/* Whether the announced size can be told is found out once in the life of an account; not by a
 * large message, as it takes a server long to count its bytes, and for its size nobody waits. */
static int wait_for_trust(const struct visit *visit, const struct tree_file *file,
			  const struct message_facts *facts)
{
	struct need need = {.kind = NEED_SIZE, .id = epoch_of(file), .uid = node_low(file->node)};

	if (facts->exact || facts->size > TREE_WHOLE_MAX ||
	    engine_trusts_sizes(visit->tree->config.engine) != SIZES_UNPROVEN)
		return 0;
	return visit_need_hard(visit, &need);
}

static int wait_for_start(const struct visit *visit, const struct tree_file *file,
			  const struct message_facts *facts)
{
	int result = wait_for_trust(visit, file, facts);
	uint64_t upto;

	if (result != 0)
		return result;
	upto = wanted_at_open(visit, facts);
	if (upto == 0 || (upto != UINT64_MAX && file->received > 0))
		return 0;
	return need_body(visit, file, upto);
}

/* NULL: it was not open lately, or is not here any more. */
static struct tree_file *reopen(const struct tree *tree, uint64_t node)
{
	struct tree_file *file;
	struct tree_entry entry;
	struct held_body *held;
	struct file_span span = {.fd = -1};
	uint64_t size;

	if (!lately_find(tree->lately, node, &entry))
		return NULL;
	size = (uint64_t)entry.attr.st_size;
	held = held_take(bodies_held(tree->config.bodies), tree_node_epoch(node), node_low(node),
			 size);
	if (!held &&
	    !bodies_get(tree->config.bodies, tree_node_epoch(node), node_low(node), size, &span))
		return NULL;
	engine_opened(tree->config.engine, tree_node_epoch(node), node_low(node));
	file = file_new(node, span.fd);
	file->start = span.start;
	file->held = held;
	file->entry = entry;
	file->size = size;
	file->exact = file->complete = file->was_here = true;
	return file;
}

int tree_file_open_message(const struct visit *visit, uint64_t node, int flags,
			   struct tree_file **ret)
{
	struct tree_file *file;
	struct message_facts facts;
	int result = 0;

	*ret = reopen(visit->tree, node);
	if (*ret)
		return 0;
	if (!message_get_facts(visit, tree_node_epoch(node), node_low(node), &facts))
		return ESTALE;
	engine_opened(visit->tree->config.engine, tree_node_epoch(node), node_low(node));
	file = file_new(node, -1);
	pthread_mutex_lock(&file->lock);
	if (!hold_locked(file, visit->tree->config.bodies, &facts))
		refresh_locked(file, visit->tree->config.bodies, &facts);
	file->was_here = file->complete;
	if (file->complete && file->resized == 0)
		lately_note(visit->tree->lately, &file->entry);
	pthread_mutex_unlock(&file->lock);
	if (!file->complete)
		result = wait_for_start(visit, file, &facts);
	if (result == 0)
		*ret = file;
	else
		tree_close(visit->tree, &file);
	return result;
}

bool tree_is_at_once(struct tree *tree, uint64_t node)
{
	return tree_node_kind(node) == NODE_MESSAGE && !changes_any(tree->config.state) &&
	       held_knows(bodies_held(tree->config.bodies), tree_node_epoch(node), node_low(node));
}

bool tree_peek(struct tree *tree, uint64_t node, uint64_t size, void *buffer)
{
	size_t len = 0;
	struct file_range range = {.len = size, .buffer = buffer, .ret_len = &len};
	struct file_span span;
	bool whole;

	if (!bodies_get(tree->config.bodies, tree_node_epoch(node), node_low(node), size, &span))
		return false;
	range.offset = span.start;
	whole = file_read_fd(span.fd, &range) == 0 && len == size;
	close(span.fd);
	return whole;
}

/* With the size exact, what lies behind it is no part of the range. */
static uint64_t range_end_locked(const struct tree_file *file, const struct file_range *range)
{
	uint64_t end = range->offset + range->len;

	return file->exact ? MIN(end, file->size) : end;
}

/* A range that touches an announced end can be answered only if the end is certain: the kernel
 * takes a full answer up to there for all. */
static bool is_covered_locked(const struct tree_file *file, const struct file_range *range)
{
	uint64_t end = range_end_locked(file, range);

	return (file->exact || end < file->size) && end <= file->received;
}

/* Of a message that begins at `start`, up to `end`: another one may stand behind it. EIO also if
 * somebody has cut the file: what is missing would be taken for its end. */
static int read_span(int fd, uint64_t start, uint64_t end, const struct file_range *range)
{
	size_t want = range->offset < end ? (size_t)(end - range->offset) : 0, got = 0;
	struct file_range part = {.offset = start + range->offset,
				  .len = want,
				  .buffer = range->buffer,
				  .ret_len = &got};

	if (file_read_fd(fd, &part) != 0 || got < want)
		return EIO;
	*range->ret_len = got;
	return 0;
}

/* What comes next is as much as there is: it is asked for while the second half is read. */
static uint64_t ahead_of(uint64_t received)
{
	return CLAMP(received / 2, TREE_AHEAD_BYTES, TREE_AHEAD_MAX);
}

/* True, once for each length, if the reader comes near the end of what is there, and nothing more
 * is on its way. */
static bool wants_more_locked(struct tree_file *file, struct bodies *bodies,
			      const struct file_range *range)
{
	uint64_t end = range->offset + range->len;
	uint64_t received;

	if (end + ahead_of(file->received) < file->received)
		return false;
	received =
		MAX(bodies_received(bodies, epoch_of(file), node_low(file->node)), file->received);
	if (end + ahead_of(received) < received || file->asked >= received ||
	    bodies_is_coming(bodies, epoch_of(file), node_low(file->node)))
		return false;
	file->asked = received;
	return true;
}

/* Nobody waits for this. */
static void ask_ahead(struct tree *tree, const struct tree_file *file, uint64_t asked)
{
	struct need need = {.kind = NEED_BODY,
			    .id = epoch_of(file),
			    .uid = node_low(file->node),
			    .upto = asked + 1};

	engine_need(tree->config.engine, &need);
}

static int read_covered(struct tree *tree, struct tree_file *file, const struct file_range *range)
{
	uint64_t asked = 0;
	bool more = false;
	int result;

	pthread_mutex_lock(&file->lock);
	result = read_span(file->fd, file->start, range_end_locked(file, range), range);
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
static int find_more(const struct visit *visit, struct tree_file *file,
		     const struct file_range *range)
{
	struct message_facts facts;
	uint64_t end = range->offset + range->len;
	bool covered, touches;

	if (!message_get_facts(visit, epoch_of(file), node_low(file->node), &facts))
		return ESTALE;
	pthread_mutex_lock(&file->lock);
	if (!file->complete)
		refresh_locked(file, visit->tree->config.bodies, &facts);
	covered = file->complete || is_covered_locked(file, range);
	touches = end >= file->size;
	pthread_mutex_unlock(&file->lock);
	return covered ? 0 : need_body(visit, file, touches ? UINT64_MAX : end);
}

/* Who removed the file by hand gets it fetched again. */
static void open_held_locked(struct tree_file *file)
{
	struct file_span span = {.fd = -1};

	if (!file->held)
		return;
	file->complete = file->was_here = held_open(&file->held, &span);
	replace_fd_locked(file, span.fd, span.start);
}

static int read_complete(struct tree_file *file, const struct file_range *range)
{
	/* they do not change any more */
	pthread_mutex_lock(&file->lock);
	int fd = file->fd;
	uint64_t start = file->start, end = range_end_locked(file, range);

	pthread_mutex_unlock(&file->lock);
	return read_span(fd, start, end, range);
}

static int read_message(struct tree *tree, struct tree_call *call, struct tree_file *file,
			const struct file_range *range)
{
	struct visit visit;
	bool covered, complete, asks;
	int result;

	pthread_mutex_lock(&file->lock);
	open_held_locked(file);
	covered = file->complete || is_covered_locked(file, range);
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
	complete = file->complete;
	asks = file->was_here && range->offset == 0;
	pthread_mutex_unlock(&file->lock);
	if (asks)
		engine_read(tree->config.engine, epoch_of(file), node_low(file->node));
	return complete ? read_complete(file, range) : read_covered(tree, file, range);
}

static void lost_entry(struct tree_file *file, struct tree_entry *ret)
{
	pthread_mutex_lock(&file->lock);
	*ret = file->entry;
	pthread_mutex_unlock(&file->lock);
	ret->attr.st_nlink = 0;
}

int tree_file_getattr(struct tree *tree, struct tree_call *call, struct tree_file *file,
		      struct tree_entry *ret)
{
	int result = tree_getattr(tree, call, file->node, ret);

	if (result != ESTALE || kind_of(file) != NODE_MESSAGE)
		return result;
	lost_entry(file, ret);
	return 0;
}

/* --- texts --- */

struct tree_file *tree_file_new_text(uint64_t node, char *text, gsize len)
{
	struct tree_file *file = file_new(node, -1);

	file->text = text;
	file->text_len = len;
	return file;
}

static bool grows(const struct tree_file *file)
{
	return kind_of(file) == NODE_CONTROL && control_grows(node_low(file->node));
}

/* The text is that of the open, so that many small reads fit together; one that grows is looked at
 * again at its end. */
static void read_text(struct tree *tree, struct tree_file *file, const struct file_range *range)
{
	uint64_t end = range->offset + range->len;

	pthread_mutex_lock(&file->lock);
	if (end > file->text_len && grows(file)) {
		g_free(file->text);
		file->text = control_text(tree, node_low(file->node), &file->text_len);
	}
	end = MIN(end, file->text_len);
	*range->ret_len = range->offset < end ? (size_t)(end - range->offset) : 0;
	if (*range->ret_len > 0)
		memcpy(range->buffer, file->text + range->offset, *range->ret_len);
	pthread_mutex_unlock(&file->lock);
}

/* --- each kind --- */

int tree_read(struct tree *tree, struct tree_call *call, struct tree_file *file, uint64_t offset,
	      size_t len, void *buffer, size_t *ret_len)
{
	struct file_range range = {
		.offset = offset, .len = len, .buffer = buffer, .ret_len = ret_len};

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return EINVAL;
	switch (kind_of(file)) {
	case NODE_MESSAGE:
		return read_message(tree, call, file, &range);
	case NODE_SPOOL:
		return draft_read(tree, call, file, &range);
	case NODE_OUTBOX:
		if (tree_file_is_text(file))
			break;
		return file_read_fd(file->fd, &range);
	default:
		break;
	}
	read_text(tree, file, &range);
	return 0;
}

static int write_in(const struct visit *visit, struct tree_file *file, uint64_t offset, size_t len,
		    const void *buffer)
{
	switch (kind_of(file)) {
	case NODE_SPOOL:
		return draft_write(visit, file, offset, len, buffer);
	case NODE_OUTBOX:
		return outbox_file_write(visit, file, offset, len, buffer);
	case NODE_FLAGS:
		return flags_file_write(visit, file, offset, len, buffer);
	case NODE_CONTROL:
		return control_is_written(file->node) ? control_write(visit->tree, buffer, len)
						      : EBADF;
	default:
		return EBADF;
	}
}

int tree_write(struct tree *tree, struct tree_call *call, struct tree_file *file, uint64_t offset,
	       size_t len, const void *buffer)
{
	struct visit visit;
	int result;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return EFBIG;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = write_in(&visit, file, offset, len, buffer);
	visit_end(&visit);
	return result;
}

static int flush_flags(struct tree *tree, struct tree_call *call, struct tree_file *file)
{
	struct visit visit;
	int result = visit_begin(&visit, tree, call);

	if (result != 0)
		return result;
	result = flags_file_flush(&visit, file);
	visit_end(&visit);
	return result;
}

int tree_flush(struct tree *tree, struct tree_call *call, struct tree_file *file)
{
	if (kind_of(file) == NODE_FLAGS)
		return flush_flags(tree, call, file);
	if (!file->writer)
		return 0;
	return kind_of(file) == NODE_OUTBOX ? outbox_file_flush(tree, file)
					    : draft_flush(tree, file);
}

/* Of what is on its way to the server: a message's changes. */
static int sync_message(const struct visit *visit, const struct tree_file *file)
{
	struct need need = {.kind = NEED_CHANGE, .id = epoch_of(file), .uid = node_low(file->node)};

	if (visit->call->give_up != 0)
		return visit->call->give_up;
	if (!changes_pending(visit->tree->config.state, need.id, need.uid))
		return 0;
	return visit_need_hard(visit, &need);
}

static int sync_in(const struct visit *visit, struct tree_file *file)
{
	int result = 0;

	switch (kind_of(file)) {
	case NODE_SPOOL:
		return draft_fsync(visit, file);
	case NODE_OUTBOX:
		return outbox_file_fsync(visit, file);
	case NODE_FLAGS:
		result = flags_file_flush(visit, file);
		break;
	default:
		break;
	}
	return result != 0 ? result : sync_message(visit, file);
}

int tree_fsync(struct tree *tree, struct tree_call *call, struct tree_file *file)
{
	struct visit visit;
	int result;

	if (kind_of(file) == NODE_CONTROL)
		return 0;
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	result = sync_in(&visit, file);
	visit_end(&visit);
	return result;
}

int tree_copy(struct tree *tree, struct tree_call *call, struct tree_file *from,
	      uint64_t from_offset, struct tree_file *to, uint64_t to_offset, uint64_t len,
	      uint64_t *ret_len)
{
	struct visit visit;
	uint64_t size;
	int result;

	if (kind_of(from) != NODE_MESSAGE || kind_of(to) != NODE_SPOOL || !to->writer)
		return EOPNOTSUPP;
	pthread_mutex_lock(&from->lock);
	size = from->size;
	pthread_mutex_unlock(&from->lock);
	result = visit_begin(&visit, tree, call);
	if (result != 0)
		return result;
	if (from_offset >= size && size > 0 && draft_is_clone(tree, to, from->node))
		*ret_len = 0;
	else if (from_offset != 0 || to_offset != 0 || len < size)
		result = EOPNOTSUPP;
	else
		result = draft_clone(&visit, to, from->node, size);
	if (result == 0 && from_offset == 0)
		*ret_len = size;
	visit_end(&visit);
	return result;
}
