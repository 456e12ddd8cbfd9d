/* What the last process left. At most one entry was on its way when it was killed: where its file
 * stands and what its record says differ then, and the rest of the way is gone now. */
#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SHOWN 300
#define LOST_REPLY "the process ended while the message was sent: nobody knows whether it arrived"
#define DAMAGED_REPLY "what was on record of the message is damaged: it is not sent by itself"

/* What a directory holds, and what comes of it. */
struct scan {
	struct queue *queue;
	GPtrArray *found;  /* of struct found *, those that may be sent already first */
	GHashTable *known; /* ids of all files, also of those that are left alone */
	GArray *infos;	   /* ids */
};

struct found {
	uint32_t id;
	enum queue_dir dir;
	char *name;
};

static void found_free(gpointer data)
{
	struct found *found = data;

	g_free(found->name);
	g_free(found);
}

/* --- scanning --- */

static void leave(const struct queue *queue, enum queue_dir dir, const char *name, const char *why)
{
	g_autofree char *shown = text_clean(name, -1, NAME_SHOWN);

	log_warning("'%s/%s/%s' is left as it is: %s", queue->path, queue_dir_names[dir], shown,
		    why);
}

/* "17" or "17.tmp"; `ret_rest` is what follows the digits. */
static bool parse_id(const char *name, uint32_t *ret_id, const char **ret_rest)
{
	size_t digits = strspn(name, "0123456789");

	if (name[0] == '0' || !number_parse_u32(name, digits, ret_id))
		return false;
	*ret_rest = name + digits;
	return true;
}

static void unlink_half(const struct queue *queue, enum queue_dir dir, const char *name)
{
	if (unlinkat(queue->dirs[dir], name, 0) != 0)
		leave(queue, dir, name, g_strerror(errno));
}

static void see_info(struct scan *scan, const char *name)
{
	const char *rest;
	uint32_t id;

	if (!parse_id(name, &id, &rest) || (*rest && strcmp(rest, ".tmp") != 0)) {
		leave(scan->queue, QUEUE_DIR_INFO, name, "it is no record");
		return;
	}
	scan->queue->last_id = MAX(scan->queue->last_id, id);
	if (*rest)
		unlink_half(scan->queue, QUEUE_DIR_INFO, name);
	else
		g_array_append_val(scan->infos, id);
}

static void see_file(struct scan *scan, enum queue_dir dir, const char *name)
{
	struct queue *queue = scan->queue;
	struct found *found;
	struct stat stat;
	const char *rest;
	uint32_t id;
	bool ours = parse_id(name, &id, &rest);

	/* Nor does anything else get its number. */
	if (ours)
		queue->last_id = MAX(queue->last_id, id);
	ours = ours && rest[0] == '.' && (!rest[1] || queue_name_is_sound(rest + 1)) &&
	       fstatat(queue->dirs[dir], name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(stat.st_mode);
	if (!ours) {
		leave(queue, dir, name, "it is no message");
		return;
	}
	/* Those are removed at the end, when what replaces them is in place. */
	if (rest[1] && !g_hash_table_add(scan->known, GUINT_TO_POINTER(id))) {
		leave(queue, dir, name, "there is another one with its number");
		return;
	}
	found = g_new(struct found, 1);
	*found = (struct found){id, dir, g_strdup(rest + 1)};
	g_ptr_array_add(scan->found, found);
}

static bool scan_dir(struct scan *scan, enum queue_dir dir, GError **error)
{
	int fd = fcntl(scan->queue->dirs[dir], F_DUPFD_CLOEXEC, 0);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool ok;

	if (!stream) {
		queue_fail(scan->queue, "list", dir, NULL, error);
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((errno = 0, entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (dir == QUEUE_DIR_INFO)
			see_info(scan, entry->d_name);
		else
			see_file(scan, dir, entry->d_name);
	}
	ok = errno == 0 || queue_fail(scan->queue, "list", dir, NULL, error);
	closedir(stream);
	return ok;
}

static bool scan_all(struct scan *scan, GError **error)
{
	/* Should two have one number: the one that must not be sent again is the one. */
	static const enum queue_dir order[] = {
		QUEUE_DIR_SENDING, QUEUE_DIR_SENT,  QUEUE_DIR_FAILED, QUEUE_DIR_WAITING,
		QUEUE_DIR_WHOLE,   QUEUE_DIR_DRAFT, QUEUE_DIR_INFO,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
		if (!scan_dir(scan, order[i], error))
			return false;
	}
	return true;
}

/* --- one entry --- */

static void set_reply(struct queue_info *info, int number, const char *reply)
{
	info->error = number;
	g_free(info->reply);
	info->reply = g_strdup(reply);
}

static void set_verdicts(struct queue_info *info, enum queue_verdict from, enum queue_verdict to)
{
	for (guint i = 0; i < info->recipients->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);

		if (recipient->verdict == from)
			recipient->verdict = to;
	}
}

static enum queue_dir dir_of(enum queue_step step)
{
	switch (step) {
	case QUEUE_DRAFT:
		return QUEUE_DIR_WHOLE;
	case QUEUE_WAITING:
		return QUEUE_DIR_WAITING;
	case QUEUE_SENDING:
		return QUEUE_DIR_SENDING;
	case QUEUE_SENT:
		return QUEUE_DIR_SENT;
	case QUEUE_FAILED:
		break;
	}
	return QUEUE_DIR_FAILED;
}

/* Whether an entry that stands at `at` may have been on its way to `to`. */
static bool is_on_way(enum queue_step at, enum queue_step to)
{
	switch (at) {
	case QUEUE_DRAFT:
		return to == QUEUE_DRAFT || to == QUEUE_WAITING;
	case QUEUE_WAITING:
		return to != QUEUE_SENDING;
	case QUEUE_SENDING:
		return to == QUEUE_WAITING || to == QUEUE_SENT || to == QUEUE_FAILED;
	case QUEUE_SENT:
		return false;
	case QUEUE_FAILED:
		return to == QUEUE_DRAFT || to == QUEUE_WAITING;
	}
	return false;
}

/* It is in memory as it stands on disk, and goes where its record says. */
static bool go_on(struct queue *queue, struct queue_entry *entry, const struct queue_record *record,
		  GError **error)
{
	bool stays = record->step == queue_step_of(entry->dir);
	g_autofree char *name = record->step == QUEUE_FAILED
					? queue_name_free(queue, QUEUE_SPACE_FAILED, record->name)
					: g_strdup(record->name);
	struct queue_move move = {.dir = stays ? entry->dir : dir_of(record->step),
				  .name = name,
				  .info = &record->info,
				  .sent_ms = record->sent_ms};

	if (record->step == QUEUE_DRAFT || record->step == QUEUE_WAITING)
		move.replaced = queue_entry_named(queue, QUEUE_SPACE_OUTBOX, name);
	if (move.replaced == entry)
		move.replaced = NULL;
	if (record->step == QUEUE_WAITING && record->info.given) {
		g_autofree char *beside = g_strdup_printf(".%s.envelope", name);

		move.envelope = queue_entry_named(queue, QUEUE_SPACE_OUTBOX, beside);
	}
	return queue_move(queue, entry, &move, error);
}

/* Nobody knows what became of it. */
static bool fail_entry(struct queue *queue, struct queue_entry *entry, const char *reply,
		       GError **error)
{
	g_autofree char *name = queue_name_free(queue, QUEUE_SPACE_FAILED, entry->file.name);
	struct queue_info *info = &entry->file.info;
	const struct queue_move move = {.dir = QUEUE_DIR_FAILED, .name = name, .info = info};

	set_verdicts(info, QUEUE_TAKEN, QUEUE_UNKNOWN);
	set_reply(info, EIO, reply);
	return queue_move(queue, entry, &move, error);
}

static bool is_settled(const struct queue_entry *entry, const struct queue_record *record)
{
	return record->step == entry->file.step && strcmp(record->name, entry->file.name) == 0;
}

static bool settle(struct queue *queue, struct queue_entry *entry,
		   const struct queue_record *record, GError **error)
{
	enum queue_step at = entry->file.step;

	if (record && !is_settled(entry, record) && is_on_way(at, record->step))
		return go_on(queue, entry, record, error);
	if (at == QUEUE_SENDING)
		return fail_entry(queue, entry, LOST_REPLY, error);
	/* It was not sent: SENDING is on record, and it is not there. */
	if (at == QUEUE_WAITING)
		set_verdicts(&entry->file.info, QUEUE_TAKEN, QUEUE_OPEN);
	return true;
}

static void default_info(struct queue_entry *entry)
{
	if (entry->file.step == QUEUE_WAITING)
		entry->file.info.handed_ms = queue_now_ms();
	if (entry->file.step == QUEUE_SENT)
		entry->sent_ms = queue_now_ms();
}

/* A record of what has stood there before is none; a step that was not finished tells the rest. */
static bool record_is_its(const struct queue_entry *entry, const struct queue_record *record)
{
	enum queue_step at = entry->file.step;

	return record->step == at || is_on_way(at, record->step) ||
	       (at == QUEUE_WAITING && record->step == QUEUE_SENDING);
}

static bool load(struct queue *queue, struct queue_entry *entry, GError **error)
{
	struct queue_record record;
	g_autoptr(GError) damage = NULL;
	bool ok;

	if (!queue_info_get(queue, entry->file.id, &record, &damage)) {
		log_error("%s", damage->message);
		default_info(entry);
		if (entry->file.step == QUEUE_WAITING || entry->file.step == QUEUE_SENDING)
			return fail_entry(queue, entry, DAMAGED_REPLY, error);
		entry->whole = false;
		return true;
	}
	if (!record_is_its(entry, &record)) {
		queue_record_clear(&record);
		default_info(entry);
		return settle(queue, entry, NULL, error);
	}
	queue_entry_set_info(queue, entry, &record.info);
	entry->sent_ms = record.sent_ms;
	ok = settle(queue, entry, &record, error);
	queue_record_clear(&record);
	return ok;
}

/* In memory as it stands on disk. Two of one name come from somebody else's hand. */
static void add(struct queue *queue, const struct found *found)
{
	bool failed = found->dir == QUEUE_DIR_FAILED;
	enum queue_space space = failed ? QUEUE_SPACE_FAILED : QUEUE_SPACE_OUTBOX;
	struct queue_file file = {.id = found->id};
	struct queue_entry *entry;
	char path[QUEUE_PATH_MAX];

	if (found->dir != QUEUE_DIR_SENT && queue_entry_named(queue, space, found->name)) {
		queue_path(found->id, found->name, path);
		leave(queue, found->dir, path, "another one has its name");
		return;
	}
	file.name = g_strdup(found->name);
	entry = queue_entry_add(queue, found->dir, &file);
	entry->whole = found->dir != QUEUE_DIR_DRAFT;
	queue_entry_measure(queue, entry);
}

/* --- all of them --- */

static gint by_id(gconstpointer a, gconstpointer b)
{
	const struct found *one = *(struct found *const *)a, *other = *(struct found *const *)b;

	return one->id < other->id ? -1 : one->id > other->id;
}

static void load_all(struct scan *scan)
{
	struct queue *queue = scan->queue;

	for (guint i = 0; i < scan->infos->len; i++) {
		uint32_t id = g_array_index(scan->infos, uint32_t, i);
		struct queue_entry *entry = queue_entry_find(queue, id);

		if (entry)
			entry->has_info = true;
	}
	for (guint i = 0; i < scan->found->len; i++) {
		const struct found *found = g_ptr_array_index(scan->found, i);
		struct queue_entry *entry = queue_entry_find(queue, found->id);
		g_autoptr(GError) error = NULL;

		if (!entry || !found->name[0])
			continue;
		if (!entry->has_info)
			default_info(entry);
		if (entry->has_info ? load(queue, entry, &error)
				    : settle(queue, entry, NULL, &error))
			continue;
		/* It is not touched before the next start. */
		log_error("a message of the outbox stays as it was found: %s", error->message);
		queue_entry_free(queue, entry);
	}
}

static void remove_halves(struct scan *scan)
{
	struct queue *queue = scan->queue;

	for (guint i = 0; i < scan->found->len; i++) {
		const struct found *found = g_ptr_array_index(scan->found, i);
		char path[QUEUE_PATH_MAX];

		if (found->name[0])
			continue;
		queue_path(found->id, "", path);
		unlink_half(queue, found->dir, path);
	}
	for (guint i = 0; i < scan->infos->len; i++) {
		uint32_t id = g_array_index(scan->infos, uint32_t, i);

		if (!g_hash_table_contains(scan->known, GUINT_TO_POINTER(id)) &&
		    !queue_info_unlink(queue, id))
			log_warning("cannot remove '%s/info/%u': %s", queue->path, id,
				    g_strerror(errno));
	}
}

/* Its close() had returned: the last process just did not come to it. */
static void hand_whole(struct scan *scan)
{
	for (guint i = 0; i < scan->found->len; i++) {
		const struct found *found = g_ptr_array_index(scan->found, i);
		struct queue_entry *entry = queue_entry_find(scan->queue, found->id);
		g_autoptr(GError) error = NULL;

		if (!found->name[0] || !entry || entry->file.step != QUEUE_DRAFT || !entry->whole ||
		    !queue_is_to_hand(entry, entry->file.name))
			continue;
		if (!queue_hand(scan->queue, entry, entry->file.name, NULL, &error))
			log_warning("a new message of the last time is not sent: %s",
				    error->message);
	}
}

bool queue_recover(struct queue *queue, GError **error)
{
	struct scan scan = {.queue = queue,
			    .found = g_ptr_array_new_with_free_func(found_free),
			    .known = g_hash_table_new(NULL, NULL),
			    .infos = g_array_new(FALSE, FALSE, sizeof(uint32_t))};
	bool ok;

	pthread_mutex_lock(&queue->lock);
	ok = scan_all(&scan, error);
	if (ok) {
		g_ptr_array_sort(scan.found, by_id);
		for (guint i = 0; i < scan.found->len; i++) {
			const struct found *found = g_ptr_array_index(scan.found, i);

			if (found->name[0])
				add(queue, found);
		}
		load_all(&scan);
		remove_halves(&scan);
		hand_whole(&scan);
	}
	pthread_mutex_unlock(&queue->lock);
	g_ptr_array_unref(scan.found);
	g_hash_table_unref(scan.known);
	g_array_unref(scan.infos);
	return ok;
}
