#include "tree/draft.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "state/changes.h"
#include "tree/attr.h"
#include "tree/file_private.h"
#include "tree/name.h"
#include "tree/node.h"
#include "tree/shown.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct state *state_of(const struct visit *visit)
{
	return visit->tree->config.state;
}

static uint32_t id_of(const struct tree_file *file)
{
	return node_low(file->node);
}

static bool is_busy(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, ERROR_BUSY);
}

/* That another call was faster is no news. */
static int failed(const char *what, const char *name, const GError *error)
{
	if (!g_error_matches(error, MAILFS_ERROR, ERROR_EXISTS))
		log_error("cannot %s %s: %s", what, name, error->message);
	return error_errno(error);
}

static int writing_refused(const struct visit *visit, uint32_t id, const GError *error)
{
	if (is_busy(error))
		return spot_wait_for_spool(visit, id);
	/* It is a message now. */
	return g_error_matches(error, MAILFS_ERROR, ERROR_READ_ONLY) ? EPERM : error_errno(error);
}

/* --- attributes --- */

/* Sealing replaces the bytes, and their number; who reads must not see the old ones with the new
 * size. So as long as the old ones are open, they are what there is. -1: they are not. */
static int replaced_fd_locked(const struct tree *tree, uint64_t node, struct stat *ret)
{
	for (guint i = 0; i < tree->drafts->len; i++) {
		const struct tree_file *file = g_ptr_array_index(tree->drafts, i);

		if (file->node == node && fstat(file->fd, ret) == 0 && ret->st_nlink == 0)
			return file->fd;
	}
	return -1;
}

static uint64_t size_of(struct tree *tree, const struct spool_file *file)
{
	uint64_t size = file->clone_epoch != 0 ? file->clone_size : file->size;
	struct stat attr;

	pthread_mutex_lock(&tree->lock);
	if (file->writers == 0 &&
	    replaced_fd_locked(tree, node_pack(NODE_SPOOL, 0, file->id), &attr) >= 0)
		size = (uint64_t)attr.st_size;
	pthread_mutex_unlock(&tree->lock);
	return size;
}

static int dup_replaced(struct tree *tree, uint64_t node)
{
	struct stat attr;
	int fd;

	pthread_mutex_lock(&tree->lock);
	fd = replaced_fd_locked(tree, node, &attr);
	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&tree->lock);
	return fd;
}

void draft_entry(struct tree *tree, const struct spool_file *file, struct tree_entry *ret)
{
	attr_draft(ret, node_pack(NODE_SPOOL, 0, file->id), size_of(tree, file), file->mtime_ns);
}

static bool get_entry(struct tree *tree, uint64_t node, struct tree_entry *ret)
{
	struct spool_file file;

	if (!spool_get(tree->config.state, node_low(node), &file))
		return false;
	draft_entry(tree, &file, ret);
	spool_file_clear(&file);
	return true;
}

static int draft_getattr(const struct visit *visit, uint64_t node, struct tree_entry *ret)
{
	if (get_entry(visit->tree, node, ret) || file_lost_draft(visit->tree, node, ret))
		return 0;
	return ESTALE;
}

/* --- how large it may be --- */

static bool is_over_quota(struct engine *engine, uint64_t size)
{
	uint64_t used, limit;

	return engine_quota(engine, &used, &limit) && (used > limit || size > limit - used);
}

/* Told before it is all written, not after it was all sent. `name` NULL: it has none any more. */
static int check_size(const struct visit *visit, const char *name, uint64_t size)
{
	struct engine *engine = visit->tree->config.engine;
	uint64_t append_max;

	if (size > LIMIT_MESSAGE_SIZE)
		return EFBIG;
	if (name == NULL || !spool_name_is_mail(name))
		return 0;
	if (engine_abilities(engine, &append_max) != 0 && size > append_max)
		return EFBIG;
	return is_over_quota(engine, size) ? EDQUOT : 0;
}

/* --- copies of messages --- */

static int get_body(const struct visit *visit, uint32_t epoch, uint32_t uid, struct file_span *ret)
{
	struct need need = {.kind = NEED_BODY, .id = epoch, .uid = uid, .upto = UINT64_MAX};
	struct message_facts facts;

	if (!message_get_facts(visit, epoch, uid, &facts))
		return ESTALE;
	if (!bodies_get(visit->tree->config.bodies, epoch, uid,
			facts.exact ? facts.size : UINT64_MAX, ret))
		return visit_need_hard(visit, &need);
	return 0;
}

/* Who reads or writes it needs its bytes here. */
static int fill(const struct visit *visit, const struct spool_file *spool)
{
	g_autoptr(GError) error = NULL;
	struct file_span body;
	int result;
	bool filled;

	if (spool->clone_epoch == 0)
		return 0;
	result = get_body(visit, spool->clone_epoch, spool->clone_uid, &body);
	if (result != 0)
		return result;
	filled = spool_fill_clone(state_of(visit), spool->id, &body, &error);
	close(body.fd);
	if (filled)
		return 0;
	log_error("cannot copy a message: %s", error->message);
	return error_errno(error);
}

static int flush_id(struct state *state, uint32_t id)
{
	g_autoptr(GError) error = NULL;
	struct spool_file spool;

	if (!spool_get(state, id, &spool))
		return 0;
	spool_file_clear(&spool);
	return spool_flush(state, id, &error) ? 0 : error_errno(error);
}

static bool can_become_clone(const struct spool_file *spool)
{
	return spool->step == SPOOL_LOCAL && spool->size == 0 && spool->clone_epoch == 0 &&
	       spool->folder != 0 && spool_name_is_mail(spool->name);
}

int draft_fill_clone_of(const struct visit *visit, uint32_t epoch, uint32_t uid)
{
	struct spool_file spool;
	int result;

	if (!spool_find_clone(state_of(visit), epoch, uid, &spool))
		return 0;
	result = fill(visit, &spool);
	/* They are the only copy soon. */
	if (result == 0)
		result = flush_id(state_of(visit), spool.id);
	spool_file_clear(&spool);
	return result;
}

struct source {
	struct shown shown;
	bool listed;
};

static bool look_at_source(void *data, const struct message_row *row)
{
	struct source *source = data;

	source->listed = shown_place(&source->shown, row) == SHOWN_LISTED;
	return false;
}

/* Of one on its way to another folder, this one would be asked when it is there; of one that is
 * \Deleted the copy would be so too. */
static bool can_be_copied(const struct visit *visit, const struct folder_row *folder, uint32_t uid)
{
	struct source source = {.listed = false};

	shown_init(&source.shown, visit, folder);
	index_message_get(visit->view, folder->epoch, uid, look_at_source, &source);
	return source.listed;
}

static bool set_clone(const struct visit *visit, uint32_t id, uint64_t message, uint64_t size)
{
	uint32_t epoch = tree_node_epoch(message), uid = node_low(message);
	g_autoptr(GError) error = NULL;
	struct folder_row row;
	struct state_box box;
	bool done;

	if (!index_folder_by_epoch(visit->view, epoch, &row))
		return false;
	box = spot_box(&row);
	done = can_be_copied(visit, &row, uid) &&
	       spool_set_clone(state_of(visit), id, &box, uid, size, &error);
	folder_row_clear(&row);
	return done;
}

int draft_clone(const struct visit *visit, struct tree_file *file, uint64_t message, uint64_t size)
{
	struct spool_file spool;
	bool can;

	if (!spool_get(state_of(visit), id_of(file), &spool))
		return EOPNOTSUPP;
	can = size > 0 && can_become_clone(&spool);
	spool_file_clear(&spool);
	return can && set_clone(visit, id_of(file), message, size) ? 0 : EOPNOTSUPP;
}

bool draft_is_clone(struct tree *tree, struct tree_file *file, uint64_t message)
{
	struct spool_file spool;
	bool same;

	if (!spool_get(tree->config.state, id_of(file), &spool))
		return false;
	same = spool.clone_epoch != 0 &&
	       tree_message_node(spool.clone_epoch, spool.clone_uid) == message;
	spool_file_clear(&spool);
	return same;
}

/* --- reading and writing --- */

static int fill_by_id(struct tree *tree, struct tree_call *call, uint32_t id)
{
	struct spool_file spool;
	struct visit visit;
	int result;

	if (!spool_get(tree->config.state, id, &spool))
		return 0;
	result = spool.clone_epoch == 0 ? 0 : visit_begin(&visit, tree, call);
	if (result == 0 && spool.clone_epoch != 0) {
		result = fill(&visit, &spool);
		visit_end(&visit);
	}
	spool_file_clear(&spool);
	return result;
}

int draft_read(struct tree *tree, struct tree_call *call, struct tree_file *file,
	       const struct file_range *range)
{
	int result = fill_by_id(tree, call, id_of(file));

	return result != 0 ? result : file_read_fd(file->fd, range);
}

/* It is about to be altered, and to have `size` bytes at least. One that was removed while it is
 * open has no name, and nobody is told. What was flushed is not whole any more, also if there is
 * no room for the rest. */
static int prepare(const struct visit *visit, uint32_t id, uint64_t size)
{
	g_autoptr(GError) error = NULL;
	struct spool_file spool;
	int result, room;

	if (!spool_get(state_of(visit), id, &spool))
		return check_size(visit, NULL, size);
	room = check_size(visit, spool.name, size);
	result = room != 0 && spool.clone_epoch != 0 ? room : fill(visit, &spool);
	spool_file_clear(&spool);
	if (result != 0)
		return result;
	return spool_touch(state_of(visit), id, &error) ? room : writing_refused(visit, id, error);
}

static int write_bytes(const struct visit *visit, const struct tree_file *file, uint64_t offset,
		       size_t len, const void *buffer)
{
	int result = prepare(visit, id_of(file), offset + len);

	if (result != 0 || file_pwrite_all(file->fd, buffer, len, (off_t)offset))
		return result;
	return errno != 0 ? errno : EIO;
}

int draft_write(const struct visit *visit, struct tree_file *file, uint64_t offset, size_t len,
		const void *buffer)
{
	int result;

	if (!file->writer)
		return EBADF;
	result = write_bytes(visit, file, offset, len, buffer);
	/* ESTALE, EBUSY and the like end the write, not the mail. */
	if (result == EFBIG || result == EDQUOT || result == ENOSPC || result == EIO)
		file_set_write_error(file, result);
	return result;
}

static int resize(const struct visit *visit, uint32_t id, int fd, uint64_t size)
{
	int result = prepare(visit, id, size);

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

static int open_fd(const struct visit *visit, uint32_t id, bool writer, int *ret_fd)
{
	g_autoptr(GError) error = NULL;
	int fd = spool_open(state_of(visit), id, writer, &error);

	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	return writing_refused(visit, id, error);
}

static void log_unsent(struct tree *tree, uint32_t id, const GError *error)
{
	g_autofree char *name = NULL;
	struct spool_file spool;

	if (spool_get(tree->config.state, id, &spool)) {
		name = text_clean(spool.name, -1, NAME_MAX_BYTES);
		spool_file_clear(&spool);
	}
	log_error("cannot send %s: %s", name ? name : "a new message", error->message);
}

static void close_id(struct tree *tree, uint32_t id, bool writer)
{
	g_autoptr(GError) error = NULL;
	bool queued = false;

	if (!spool_close(tree->config.state, id, writer, &queued, &error))
		log_unsent(tree, id, error);
	if (queued)
		engine_changed(tree->config.engine);
}

static int draft_open(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret)
{
	bool truncate = (flags & O_TRUNC) != 0;
	bool writer = truncate || (flags & O_ACCMODE) != O_RDONLY;
	struct tree_file *file;
	struct spool_file spool;
	int fd = -1, result = 0;

	if (!spool_get(state_of(visit), node_low(node), &spool))
		return ESTALE;
	if (!writer && spool.writers == 0)
		fd = dup_replaced(visit->tree, node);
	spool_file_clear(&spool);
	if (fd < 0)
		result = open_fd(visit, node_low(node), writer, &fd);
	if (result != 0)
		return result;
	file = file_new_draft(visit->tree, node, fd, writer);
	if (truncate)
		result = resize(visit, id_of(file), fd, 0);
	if (result == 0)
		*ret = file;
	else
		tree_close(visit->tree, &file);
	return result;
}

static void abandon_id(struct tree *tree, uint32_t id)
{
	g_autoptr(GError) error = NULL;
	bool queued;

	if (!spool_abandon(tree->config.state, id, &queued, &error))
		log_unsent(tree, id, error);
	else if (queued)
		engine_changed(tree->config.engine);
}

/* Who is told that there is no room closes it like anybody else, but half a mail is not sent. */
static void abandon_torn(struct tree *tree, uint32_t id)
{
	struct spool_file spool;

	abandon_id(tree, id);
	if (!spool_get(tree->config.state, id, &spool))
		return;
	if (spool.step == SPOOL_LOCAL && spool_name_is_mail(spool.name))
		log_warning("%s was not written to its end: it is not sent, but stays local",
			    spool.name);
	spool_file_clear(&spool);
}

void draft_close(struct tree *tree, struct tree_file *file)
{
	file_forget_draft(tree, file);
	if (file_get_write_error(file) != 0)
		abandon_torn(tree, id_of(file));
	else
		close_id(tree, id_of(file), file->writer);
}

void draft_abandon(struct tree *tree, struct tree_file *file)
{
	file_forget_draft(tree, file);
	if (file->writer)
		abandon_id(tree, id_of(file));
}

/* --- attributes that are set --- */

static int truncate_by_id(const struct visit *visit, uint32_t id, uint64_t size)
{
	int fd, result = open_fd(visit, id, true, &fd);

	if (result != 0)
		return result;
	result = resize(visit, id, fd, size);
	close_id(visit->tree, id, true);
	close(fd);
	return result;
}

static int set_mtime(const struct visit *visit, uint32_t id, int64_t mtime_ns)
{
	g_autoptr(GError) error = NULL;

	if (spool_set_mtime(state_of(visit), id, mtime_ns, &error))
		return 0;
	/* Too late for the server to be told; as with any message. */
	if (is_busy(error) || g_error_matches(error, MAILFS_ERROR, ERROR_READ_ONLY))
		return 0;
	return error_errno(error);
}

int draft_setattr(const struct visit *visit, uint64_t node, struct tree_file *file,
		  const struct tree_setattr *setattr)
{
	uint32_t id = node_low(node);
	struct spool_file spool;
	bool exists = spool_get(state_of(visit), id, &spool);
	int result = 0;

	if (exists)
		spool_file_clear(&spool);
	else if (file == NULL && setattr->set_size)
		return ESTALE;
	if (setattr->set_size)
		result = file != NULL && file->writer ? resize_open(visit, file, setattr->size)
						      : truncate_by_id(visit, id, setattr->size);
	if (result == 0 && setattr->set_mtime && exists)
		result = set_mtime(visit, id, setattr->mtime_ns);
	return result;
}

/* --- making it last --- */

int draft_flush(struct tree *tree, struct tree_file *file)
{
	int error = file_get_write_error(file);

	return error != 0 ? error : flush_id(tree->config.state, id_of(file));
}

static int seal_and_wait(const struct visit *visit, uint32_t id)
{
	struct need need = {.kind = NEED_SPOOL, .uid = id};
	g_autoptr(GError) error = NULL;
	bool queued = false;

	if (!spool_seal(state_of(visit), id, &queued, &error))
		return is_busy(error) ? visit_need_hard(visit, &need) : error_errno(error);
	engine_changed(visit->tree->config.engine);
	visit->call->ticket = id;
	return visit_need_hard(visit, &need);
}

/* The verdict on what is in the file now. The ticket tells that it was sealed for this call: what
 * is refused then is an answer, and what is LOCAL again has arrived. */
static int wait_for_verdict(const struct visit *visit, const struct spool_file *spool)
{
	struct need need = {.kind = NEED_SPOOL, .uid = spool->id};
	bool asked = visit->call->ticket != 0;

	if (visit->call->give_up != 0)
		return visit->call->give_up;
	switch (spool->step) {
	case SPOOL_UPLOADED:
		return 0;
	case SPOOL_FAILED:
		return asked ? spool->error : seal_and_wait(visit, spool->id);
	case SPOOL_LOCAL:
		return asked && spool->former_uid != 0 ? 0 : seal_and_wait(visit, spool->id);
	default:
		return visit_need_hard(visit, &need);
	}
}

/* Who closes it asks for the copy, a moment after close(2) returned; then its folder waits for it.
 * The ticket tells that this was waited for. */
static int wait_for_copy(const struct visit *visit, const struct tree_file *file,
			 const struct spool_file *spool)
{
	struct need need = {.kind = NEED_CHANGES,
			    .id = spool->folder,
			    .upto = (uint64_t)clock_mono_ms() + TREE_CLOSING_MS};
	int result = flush_id(state_of(visit), spool->id);

	if (result != 0 || file->writer || visit->call->ticket != 0)
		return result;
	visit->call->ticket = spool->id;
	return visit_need_hard(visit, &need);
}

int draft_fsync(const struct visit *visit, struct tree_file *file)
{
	int result = file_get_write_error(file);
	struct spool_file spool;

	if (result != 0)
		return result;
	if (!spool_get(state_of(visit), id_of(file), &spool)) {
		result = fsync(file->fd) < 0 ? EIO : 0;
		return visit->call->give_up != 0 ? visit->call->give_up : result;
	}
	if (!spool_name_is_mail(spool.name) || spool.size == 0)
		result = flush_id(state_of(visit), spool.id);
	else if (spool.clone_epoch != 0)
		result = wait_for_copy(visit, file, &spool);
	else
		result = wait_for_verdict(visit, &spool);
	spool_file_clear(&spool);
	return result;
}

/* --- making and renaming --- */

/* A file manager's bin is no place for mail. */
static bool is_trash_name(const char *name)
{
	return g_str_has_prefix(name, ".Trash");
}

static int check_place(const struct visit *visit, const struct spot *spot)
{
	if (spot->deleted || !spot_holds_mail(spot) || is_trash_name(spot->name))
		return EPERM;
	if (!spool_name_is_mail(spot->name))
		return 0;
	return spot_may(visit, &spot->dir, STORE_MAY_INSERT);
}

static int make(const struct visit *visit, const struct spot *spot, struct tree_entry *ret,
		struct tree_file **ret_file)
{
	g_autoptr(GError) error = NULL;
	uint64_t node;
	uint32_t id =
		spool_create(state_of(visit), spot->dir.id, spot->dir.name, spot->name, &error);
	int fd, result;

	if (id == 0)
		return failed("make", spot->name, error);
	/* The writer that was counted when it was made. */
	result = open_fd(visit, id, true, &fd);
	if (result != 0) {
		close_id(visit->tree, id, true);
		return result;
	}
	node = node_pack(NODE_SPOOL, 0, id);
	get_entry(visit->tree, node, ret);
	*ret_file = file_new_draft(visit->tree, node, fd, true);
	return 0;
}

static int create(const struct visit *visit, uint64_t parent, const char *name,
		  struct tree_entry *ret, struct tree_file **ret_file)
{
	struct spot spot;
	int result;

	if (tree_node_kind(parent) == NODE_OUTBOX)
		return outbox_dir_create(visit, parent, name, ret, ret_file);
	result = spot_may_change(visit);
	if (result == 0)
		result = spot_find(visit, parent, name, &spot);
	if (result != 0)
		return result;
	result = spot.kind != SPOT_FREE ? EEXIST : check_place(visit, &spot);
	if (result == 0)
		result = make(visit, &spot, ret, ret_file);
	spot_clear(&spot);
	return result;
}

int tree_create(struct tree *tree, struct tree_call *call, uint64_t parent, const char *name,
		struct tree_entry *ret, struct tree_file **ret_file)
{
	struct visit visit;
	int result = visit_begin(&visit, tree, call);

	if (result != 0)
		return result;
	result = create(&visit, parent, name, ret, ret_file);
	visit_end(&visit);
	return result;
}

static bool is_uploaded(const struct visit *visit, const struct spot *spot)
{
	struct spool_file spool;
	bool uploaded;

	if (!spool_get(state_of(visit), node_low(spot->node), &spool))
		return false;
	uploaded = spool.step == SPOOL_UPLOADED;
	spool_file_clear(&spool);
	return uploaded;
}

bool draft_is_empty(const struct visit *visit, const struct spot *spot)
{
	struct spool_file spool;
	bool empty;

	if (!spool_get(state_of(visit), node_low(spot->node), &spool))
		return true;
	empty = spool.step == SPOOL_LOCAL && spool.size == 0 && spool.clone_epoch == 0;
	spool_file_clear(&spool);
	return empty;
}

static bool rename_id(const struct visit *visit, const struct spot *to, uint32_t id,
		      const char *name, GError **error)
{
	bool queued = false;

	if (!spool_rename(state_of(visit), id, to->dir.id, to->dir.name, name, &queued, error))
		return false;
	if (queued)
		engine_changed(visit->tree->config.engine);
	return true;
}

int draft_put_aside(const struct visit *visit, const struct spot *to)
{
	uint32_t id = node_low(to->node);
	g_autofree char *name = g_strdup_printf(".replaced-%u", id);
	g_autoptr(GError) error = NULL;

	if (to->kind != SPOT_SPOOL)
		return 0;
	if (is_uploaded(visit, to))
		return EEXIST;
	if (rename_id(visit, to, id, name, &error))
		return 0;
	return is_busy(error) ? spot_wait_for_spool(visit, id) : failed("replace", to->name, error);
}

void draft_end_aside(const struct visit *visit, const struct spot *to, bool replaced)
{
	uint32_t id = node_low(to->node);
	g_autoptr(GError) error = NULL;
	bool ok;

	if (to->kind != SPOT_SPOOL)
		return;
	ok = replaced ? spool_remove(state_of(visit), id, &error)
		      : rename_id(visit, to, id, to->name, &error);
	if (!ok)
		log_warning("what was %s is left as .replaced-%u: %s", to->name, id,
			    error->message);
}

static int check_draft(const struct visit *visit, const struct spot *from, const struct spot *to)
{
	struct spool_file spool;
	int result;

	if (!spool_get(state_of(visit), node_low(from->node), &spool))
		return ESTALE;
	result = spool.clone_epoch != 0 ? 0 : check_size(visit, to->name, spool.size);
	if (result == 0 && (spool.running || spool.step == SPOOL_UPLOADED))
		result = spot_wait_for_spool(visit, spool.id);
	spool_file_clear(&spool);
	return result;
}

static int rename_draft(const struct visit *visit, const struct spot *from, const struct spot *to)
{
	uint32_t id = node_low(from->node);
	g_autoptr(GError) error = NULL;

	if (rename_id(visit, to, id, to->name, &error))
		return 0;
	return is_busy(error) ? spot_wait_for_spool(visit, id)
			      : failed("rename", from->name, error);
}

int draft_rename(const struct visit *visit, const struct spot *from, const struct spot *to)
{
	int result;

	if (to->kind != SPOT_FREE && to->node == from->node)
		return 0;
	result = check_place(visit, to);
	if (result == 0)
		result = check_draft(visit, from, to);
	if (result == 0)
		result = draft_put_aside(visit, to);
	if (result != 0)
		return result;
	result = rename_draft(visit, from, to);
	draft_end_aside(visit, to, result == 0);
	return result;
}

const struct node_ops draft_ops = {
	.getattr = draft_getattr,
	.open = draft_open,
};
