/* What a crash left: every file of the spool directory belongs to a record, or goes; none that
 * holds bytes is removed unless the record says that they are elsewhere. */
#include "state/spool_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/number.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- what is there --- */

static bool parse_name(const char *name, uint32_t *ret_id, enum part *ret_part)
{
	size_t digits = strspn(name, "0123456789");
	char expected[PART_NAME_MAX];
	uint32_t id;

	if (!number_parse_u32(name, digits, &id))
		return false;
	for (int part = 0; part < PARTS; part++) {
		part_name(id, (enum part)part, expected);
		if (strcmp(name, expected) != 0)
			continue;
		*ret_id = id;
		*ret_part = (enum part)part;
		return true;
	}
	return false;
}

/* id -> bits of enum part. */
static GHashTable *scan(struct state *state)
{
	GHashTable *parts = g_hash_table_new(NULL, NULL);
	int fd = dup(state->spool_fd);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		log_error("cannot list '%s/spool': %s", state->dir, g_strerror(errno));
		if (fd >= 0)
			close(fd);
		return parts;
	}
	while ((entry = readdir(dir))) {
		enum part part;
		uint32_t id;

		if (!parse_name(entry->d_name, &id, &part))
			continue;
		unsigned bits = GPOINTER_TO_UINT(g_hash_table_lookup(parts, GUINT_TO_POINTER(id)));

		g_hash_table_insert(parts, GUINT_TO_POINTER(id),
				    GUINT_TO_POINTER(bits | 1u << part));
	}
	closedir(dir);
	return parts;
}

/* --- what no record names --- */

static bool move_to(int from_dir, const char *from, int to_dir, const char *to)
{
	for (unsigned n = 0; n < 1000; n++) {
		g_autofree char *name = n ? g_strdup_printf("%s-%u", to, n) : g_strdup(to);

		if (renameat2(from_dir, from, to_dir, name, RENAME_NOREPLACE) == 0)
			return true;
		if (errno != EEXIST)
			return false;
	}
	return false;
}

/* Somebody's bytes: out of the way, and not away. */
static bool keep(struct state *state, uint32_t id, enum part part)
{
	g_autofree char *dir = g_build_filename(state->dir, "lost", NULL);
	g_autofree char *to = NULL;
	g_autoptr(GError) error = NULL;
	char name[PART_NAME_MAX];
	int fd = -1;

	part_name(id, part, name);
	to = g_strdup_printf("%" G_GINT64_FORMAT "-%s", (int64_t)time(NULL), name);
	if (file_make_private_dir(dir, &error))
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool kept = fd >= 0 && move_to(state->spool_fd, name, fd, to);

	if (kept)
		log_error("a file of which no more is known is kept as '%s/%s'", dir, to);
	else
		log_error("cannot keep '%s/spool/%s': %s", state->dir, name,
			  error ? error->message : g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return kept;
}

/* False if it is still there. */
static bool forget_part(struct state *state, uint32_t id, enum part part, bool precious)
{
	struct stat stat;

	if (precious && part_stat(state, id, part, &stat) && stat.st_size > 0)
		return keep(state, id, part);
	part_unlink(state, id, part);
	return true;
}

/* A record ends when the server has the upload, or when the file was removed (.gone). With all
 * records lost nobody knows. False if not all could be kept. */
static bool forget(struct state *state, uint32_t id, unsigned bits, bool anew)
{
	bool kept = true;

	for (int part = 0; part < PARTS; part++) {
		bool precious = part == PART_WORK || (anew && part != PART_TMP);

		if (bits & 1u << part && !forget_part(state, id, (enum part)part, precious))
			kept = false;
	}
	/* Should it not have been possible to move it away. */
	state->last_file = MAX(state->last_file, id);
	return kept;
}

/* --- what a record names --- */

static void set_step(struct state *state, struct entry *entry, enum spool_step step, bool whole)
{
	struct spool_file want = entry->file;
	g_autoptr(GError) error = NULL;

	want.step = step;
	want.unknown = false;
	if (!entry_write(state, entry, &want, whole ? (int64_t)want.size : -1, false, &error))
		log_warning("%s", error->message);
}

/* The bytes of a file being written are in the working file, else in the upload. */
static void settle_local(struct state *state, struct entry *entry)
{
	uint32_t id = entry->file.id;

	if (entry->has_work) {
		entry_drop_upload(state, entry);
	} else if (entry->has_upload && part_rename(state, id, PART_UPLOAD, PART_WORK)) {
		entry->has_work = true;
		entry->has_upload = false;
	}
}

static void settle_parts(struct state *state, struct entry *entry)
{
	if (entry->file.step == SPOOL_LOCAL) {
		settle_local(state, entry);
	} else if (entry->has_upload) {
		entry_drop_work(state, entry);
	} else if (entry->has_work && entry->file.step != SPOOL_FAILED) {
		entry_measure(state, entry);
		set_step(state, entry, SPOOL_LOCAL, true);
	}
}

static void vanished(struct state *state, struct entry *entry)
{
	log_error("'%s/spool/%u' is missing: what it held was not sent", state->dir,
		  entry->file.id);
	if (!DB_RUN(&state->db, DB_FILE_DELETE, DB_INT(entry->file.id)))
		log_warning("%s: cannot forget a file: %s", state->db.path, state->db.why);
	entry_free(state, entry);
}

/* True if it is there and whole. */
static bool settle(struct state *state, struct entry *entry, unsigned bits)
{
	uint64_t size = entry->file.size;
	uint32_t id = entry->file.id;

	if (bits & 1u << PART_TMP)
		part_unlink(state, id, PART_TMP);
	entry->has_work = bits & 1u << PART_WORK;
	entry->has_upload = bits & 1u << PART_UPLOAD;
	if (bits & 1u << PART_GONE && entry->has_work)
		part_unlink(state, id, PART_GONE);
	else if (bits & 1u << PART_GONE)
		entry->has_work = part_rename(state, id, PART_GONE, PART_WORK);
	settle_parts(state, entry);
	if (!entry->has_work && !entry->has_upload) {
		vanished(state, entry);
		return false;
	}
	entry_measure(state, entry);
	entry->named = true;
	if (!entry->file.clone_uid && entry->file.step == SPOOL_LOCAL && entry->file.size != size &&
	    bits & 1u << PART_WORK)
		entry->whole = false;
	return entry->whole && entry->file.step == SPOOL_LOCAL;
}

static void seal_whole(struct state *state, struct entry *entry)
{
	g_autoptr(GError) error = NULL;

	if (!entry_is_mail(entry) || !entry_has_bytes(entry))
		return;
	if (!entry_seal(state, entry, NULL, &error))
		log_warning("a new message of the last time is not sent: %s", error->message);
}

static int by_number(gconstpointer a, gconstpointer b)
{
	guint one = GPOINTER_TO_UINT(a), other = GPOINTER_TO_UINT(b);

	return one < other ? -1 : one > other;
}

bool spool_recover(struct state *state, bool anew)
{
	g_autoptr(GHashTable) parts = scan(state);
	g_autoptr(GList) found = g_list_sort(g_hash_table_get_keys(parts), by_number);
	g_autoptr(GList) known = g_list_sort(g_hash_table_get_keys(state->entries), by_number);
	bool kept = true;

	pthread_mutex_lock(&state->lock);
	for (GList *link = found; link; link = link->next) {
		uint32_t id = GPOINTER_TO_UINT(link->data);

		unsigned bits = GPOINTER_TO_UINT(g_hash_table_lookup(parts, link->data));

		if (!entry_find(state, id) && !forget(state, id, bits, anew))
			kept = false;
	}
	for (GList *link = known; link; link = link->next) {
		struct entry *entry = entry_find(state, GPOINTER_TO_UINT(link->data));
		unsigned bits = GPOINTER_TO_UINT(g_hash_table_lookup(parts, link->data));

		if (settle(state, entry, bits))
			seal_whole(state, entry);
	}
	pthread_mutex_unlock(&state->lock);
	return kept;
}
