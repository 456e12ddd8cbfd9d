/* Open files of the outbox: what is written there, and the texts of what failed. */

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "tree/file_private.h"
#include "tree/name.h"
#include "tree/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct queue *queue_of(const struct visit *visit)
{
	return outbox_dir_queue(visit->tree);
}

static uint32_t id_of(const struct tree_file *file)
{
	return node_low(file->node);
}

static bool is_text(const struct tree_file *file)
{
	return node_outbox_what(file->node) == NODE_OUTBOX_ERROR;
}

static bool is_gone(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, ERROR_GONE);
}

static void log_failure(struct queue *queue, const char *what, uint32_t id, const GError *error)
{
	g_autofree char *name = NULL;
	struct queue_file file;

	if (queue_get(queue, id, &file)) {
		name = text_clean(file.name, -1, NAME_MAX_BYTES);
		queue_file_clear(&file);
	}
	log_error("cannot %s %s: %s", what, name ? name : "a message", error->message);
}

/* What failed is not altered, and what is being sent not either. */
static int writing_refused(struct queue *queue, uint32_t id, const GError *error)
{
	if (g_error_matches(error, MAILFS_ERROR, ERROR_READ_ONLY))
		return EPERM;
	if (!is_gone(error) && !g_error_matches(error, MAILFS_ERROR, ERROR_BUSY))
		log_failure(queue, "write", id, error);
	return error_errno(error);
}

/* --- writing --- */

/* It is about to be altered, and to have `size` bytes at least. One that was removed while it is
 * open has no name, and nobody is told. What was flushed is not whole any more, also if there is
 * no room for the rest. */
static int prepare(const struct visit *visit, uint32_t id, uint64_t size)
{
	g_autoptr(GError) error = NULL;
	struct queue_file file;
	int result;

	if (!queue_touch(queue_of(visit), id, &error) && !is_gone(error))
		return writing_refused(queue_of(visit), id, error);
	if (!queue_get(queue_of(visit), id, &file))
		return outbox_dir_check_size(visit, NULL, size);
	result = outbox_dir_check_size(visit, file.name, size);
	queue_file_clear(&file);
	return result;
}

static int write_bytes(const struct visit *visit, const struct tree_file *file, uint64_t offset,
		       size_t len, const void *buffer)
{
	int result = prepare(visit, id_of(file), offset + len);

	if (result != 0 || file_pwrite_all(file->fd, buffer, len, (off_t)offset))
		return result;
	return errno != 0 ? errno : EIO;
}

/* Who appends to what was sent begins a new one, and the kernel goes by the size of the old one. */
static uint64_t true_offset(const struct tree_file *file, uint64_t offset)
{
	struct stat stat;

	if (!file->append || fstat(file->fd, &stat) < 0)
		return offset;
	return MIN(offset, (uint64_t)stat.st_size);
}

int outbox_file_write(const struct visit *visit, struct tree_file *file, uint64_t offset,
		      size_t len, const void *buffer)
{
	int result;

	if (!file->writer)
		return EBADF;
	result = write_bytes(visit, file, true_offset(file, offset), len, buffer);
	if (result != 0)
		file_set_write_error(file, result);
	return result;
}

/* Made anew, it is another mail. */
static int reset(const struct visit *visit, uint32_t id)
{
	g_autoptr(GError) error = NULL;

	if (queue_reset(queue_of(visit), id, &error) || is_gone(error))
		return 0;
	return writing_refused(queue_of(visit), id, error);
}

static int resize(const struct visit *visit, uint32_t id, int fd, uint64_t size)
{
	int result = prepare(visit, id, size);

	if (result == 0 && size == 0)
		result = reset(visit, id);
	if (result != 0)
		return result;
	return ftruncate(fd, (off_t)size) < 0 ? errno : 0;
}

/* Of one that is begun anew, nothing is missing. */
static int resize_open(const struct visit *visit, struct tree_file *file, uint64_t size)
{
	int result = resize(visit, id_of(file), file->fd, size);

	if (result == 0 && size == 0)
		file_set_write_error(file, 0);
	return result;
}

/* --- opening and closing --- */

static bool is_waiting(struct queue *queue, uint32_t id)
{
	struct queue_file file;
	bool waiting;

	if (!queue_get(queue, id, &file))
		return false;
	waiting = file.step == QUEUE_WAITING;
	queue_file_clear(&file);
	return waiting;
}

static int open_fd(const struct visit *visit, uint32_t id, bool writer, int *ret_fd)
{
	bool taken_back = writer && is_waiting(queue_of(visit), id);
	g_autoptr(GError) error = NULL;
	int fd = queue_open_file(queue_of(visit), id, writer, &error);

	if (fd < 0)
		return is_gone(error) ? ESTALE : writing_refused(queue_of(visit), id, error);
	/* Who waits for a verdict gets none. */
	if (taken_back)
		outbox_changed(visit->tree->config.outbox);
	*ret_fd = fd;
	return 0;
}

static void close_id(struct tree *tree, uint32_t id, bool writer)
{
	struct queue *queue = outbox_dir_queue(tree);
	g_autoptr(GError) error = NULL;
	bool handed = false;

	if (!queue_close_file(queue, id, writer, &handed, &error))
		log_failure(queue, "send", id, error);
	/* What could not be handed over is its affair, too. */
	if (handed || error)
		outbox_changed(tree->config.outbox);
}

int outbox_file_open_new(const struct visit *visit, uint32_t id, struct tree_file **ret)
{
	int fd = -1, result = open_fd(visit, id, true, &fd);

	if (result == 0)
		*ret = file_new_draft(visit->tree, node_outbox(NODE_OUTBOX_MESSAGE, id), fd, true);
	else
		close_id(visit->tree, id, true);
	return result;
}

static int open_message(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret)
{
	bool truncate = (flags & O_TRUNC) != 0;
	bool writer = truncate || (flags & O_ACCMODE) != O_RDONLY;
	struct tree_file *file;
	int fd, result = open_fd(visit, node_low(node), writer, &fd);

	if (result != 0)
		return result;
	file = file_new_draft(visit->tree, node, fd, writer);
	file->append = (flags & O_APPEND) != 0;
	if (truncate)
		result = resize(visit, node_low(node), fd, 0);
	if (result == 0)
		*ret = file;
	else
		tree_close(visit->tree, &file);
	return result;
}

static int open_error(const struct visit *visit, uint64_t node, struct tree_file **ret)
{
	struct queue_file file;
	char *text = NULL;

	if (queue_get(queue_of(visit), node_low(node), &file)) {
		text = file.step == QUEUE_FAILED ? outbox_error_text(&file) : NULL;
		queue_file_clear(&file);
	}
	if (text == NULL)
		text = g_strdup("");
	*ret = tree_file_new_text(node, text, strlen(text));
	return 0;
}

int outbox_file_open(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret)
{
	switch (node_outbox_what(node)) {
	case NODE_OUTBOX_MESSAGE:
		return open_message(visit, node, flags, ret);
	case NODE_OUTBOX_ERROR:
		if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0)
			return EPERM;
		return open_error(visit, node, ret);
	default:
		return ESTALE;
	}
}

static void abandon_id(struct tree *tree, uint32_t id)
{
	struct queue *queue = outbox_dir_queue(tree);
	g_autoptr(GError) error = NULL;
	bool handed = false;

	if (!queue_abandon(queue, id, &handed, &error))
		log_failure(queue, "send", id, error);
	if (handed)
		outbox_changed(tree->config.outbox);
}

/* Who is told that the disk is full closes it like anybody else, but half a mail is not sent. */
static void abandon_torn(struct tree *tree, uint32_t id)
{
	struct queue *queue = outbox_dir_queue(tree);
	struct queue_file file;

	abandon_id(tree, id);
	if (!queue_get(queue, id, &file))
		return;
	if (file.step == QUEUE_DRAFT && queue_name_is_mail(file.name))
		log_warning("%s was not written to its end: it is not sent, but stays a draft",
			    file.name);
	queue_file_clear(&file);
}

void outbox_file_close(struct tree *tree, struct tree_file *file)
{
	if (is_text(file))
		return;
	file_forget_draft(tree, file);
	if (file_get_write_error(file) != 0)
		abandon_torn(tree, id_of(file));
	else
		close_id(tree, id_of(file), file->writer);
}

void outbox_file_abandon(struct tree *tree, struct tree_file *file)
{
	if (!file->writer) {
		outbox_file_close(tree, file);
		return;
	}
	file_forget_draft(tree, file);
	abandon_id(tree, id_of(file));
}

/* --- attributes that are set --- */

static int truncate_by_id(const struct visit *visit, uint32_t id, uint64_t size)
{
	int fd = -1, result = open_fd(visit, id, true, &fd);

	if (result != 0)
		return result;
	result = resize(visit, id, fd, size);
	close_id(visit->tree, id, true);
	close(fd);
	return result;
}

/* Of what failed, is being sent or is gone it does not matter any more. */
static int set_mtime(const struct visit *visit, uint32_t id, int64_t mtime_ns)
{
	g_autoptr(GError) error = NULL;

	if (queue_set_mtime(queue_of(visit), id, mtime_ns, &error) || is_gone(error) ||
	    g_error_matches(error, MAILFS_ERROR, ERROR_BUSY) ||
	    g_error_matches(error, MAILFS_ERROR, ERROR_READ_ONLY))
		return 0;
	return error_errno(error);
}

int outbox_file_setattr(const struct visit *visit, uint64_t node, struct tree_file *file,
			const struct tree_setattr *setattr)
{
	uint32_t id = node_low(node);
	int result = 0;

	if (queue_of(visit) == NULL)
		return ESTALE;
	if (node_outbox_what(node) != NODE_OUTBOX_MESSAGE)
		return setattr->set_size ? EPERM : 0;
	if (setattr->set_size)
		result = file != NULL && file->writer ? resize_open(visit, file, setattr->size)
						      : truncate_by_id(visit, id, setattr->size);
	if (result == 0 && setattr->set_mtime)
		result = set_mtime(visit, id, setattr->mtime_ns);
	return result;
}

/* --- making it last --- */

static int flush_id(struct queue *queue, uint32_t id)
{
	g_autoptr(GError) error = NULL;

	if (queue_flush(queue, id, &error) || is_gone(error))
		return 0;
	log_failure(queue, "write", id, error);
	return error_errno(error);
}

/* What could not be written is told again: not everybody looks at each write. */
int outbox_file_flush(struct tree *tree, struct tree_file *file)
{
	int error = file_get_write_error(file);

	return error != 0 ? error : flush_id(outbox_dir_queue(tree), id_of(file));
}

static int need_verdict(const struct visit *visit, uint32_t id, uint64_t upto)
{
	struct need need = {.kind = NEED_OUTBOX, .uid = id, .upto = upto};

	visit->call->ticket = id;
	return visit_need_hard(visit, &need);
}

/* The writer may be gone already, and the kernel about to tell. It is not flushed for him: what
 * looks whole is sent, even if he never comes back. Without a writer nobody hands it over. */
static int wait_for_writer(const struct visit *visit, const struct queue_file *file)
{
	if (visit->call->ticket != 0 || file->writers == 0 || queue_closing(queue_of(visit)) == 0)
		return EBUSY;
	return need_verdict(visit, file->id, (uint64_t)clock_mono_ms() + TREE_CLOSING_MS);
}

/* It is none, or was handed over since it was looked at. */
static bool is_draft(const struct visit *visit, const struct queue_file *file)
{
	struct queue_file again;
	bool draft;

	if (file->step != QUEUE_DRAFT || !queue_get(queue_of(visit), file->id, &again))
		return file->step == QUEUE_DRAFT;
	draft = again.step == QUEUE_DRAFT;
	queue_file_clear(&again);
	return draft;
}

/* A waiting one is asked for once in any case: that may bring the next try forward. */
static int wait_for_verdict(const struct visit *visit, const struct queue_file *file)
{
	int error, result = 0;

	if (visit->call->give_up != 0)
		return visit->call->give_up;
	if (file->step == QUEUE_DRAFT)
		result = wait_for_writer(visit, file);
	if (result == TREE_AGAIN || (result != 0 && is_draft(visit, file)))
		return result;
	if ((file->step != QUEUE_WAITING || visit->call->ticket != 0) &&
	    outbox_is_settled(visit->tree->config.outbox, file->id, &error))
		return error;
	return need_verdict(visit, file->id, 0);
}

/* It was removed. If it was waited for, it was neither sent nor refused. */
static int sync_lost(const struct visit *visit, const struct tree_file *file)
{
	if (visit->call->give_up != 0)
		return visit->call->give_up;
	if (visit->call->ticket != 0)
		return ENOENT;
	return fsync(file->fd) < 0 ? EIO : 0;
}

int outbox_file_fsync(const struct visit *visit, struct tree_file *file)
{
	struct queue_file queued;
	int result;

	if (is_text(file))
		return 0;
	if (file->writer && file_get_write_error(file) != 0)
		return file_get_write_error(file);
	if (!queue_get(queue_of(visit), id_of(file), &queued))
		return sync_lost(visit, file);
	if (file->writer || !queue_name_is_mail(queued.name) ||
	    (queued.size == 0 && queued.writers == 0))
		result = flush_id(queue_of(visit), queued.id);
	else
		result = wait_for_verdict(visit, &queued);
	queue_file_clear(&queued);
	return result;
}
