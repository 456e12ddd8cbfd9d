/* Copies of what was sent: new messages of the \Sent folder, which the spool keeps and the engine
 * appends as any other. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/file.h"
#include "outbox/compose.h"
#include "outbox/queue.h"
#include "state/changes.h"
#include "state/names.h"
#include "state/spool.h"

#include <string.h>
#include <unistd.h>

#define NAMES_COUNTED 9
#define NAME_TRIES 100

/* --- the provider --- */

static bool is_below(const char *host, const char *domain)
{
	size_t len = strlen(host), domain_len = strlen(domain);

	if (len < domain_len || g_ascii_strcasecmp(host + len - domain_len, domain) != 0)
		return false;
	return len == domain_len || host[len - domain_len - 1] == '.';
}

static bool is_known_host(const char *host)
{
	static const char *const domains[] = {"gmail.com",   "googlemail.com", "office365.com",
					      "outlook.com", "hotmail.com",    "live.com"};

	for (size_t i = 0; i < G_N_ELEMENTS(domains); i++) {
		if (is_below(host, domains[i]))
			return true;
	}
	return false;
}

bool engine_wants_copies(struct engine *engine)
{
	const struct account *account = engine->account;
	bool is_maildrop, is_gmail;

	pthread_mutex_lock(&engine->lock);
	is_maildrop = engine->shared.abilities & STORE_CAN_REMOVE;
	is_gmail = engine->shared.description &&
		   strstr(engine->shared.description, "X-GM-EXT-1") != NULL;
	pthread_mutex_unlock(&engine->lock);
	return !is_maildrop && !is_gmail && !is_known_host(account->smtp.host) &&
	       !is_known_host(account->host);
}

/* --- the folder --- */

static bool find_sent(struct engine *engine, struct folder_row *ret, GError **error)
{
	/* First: what is listed behind the view is not in it. */
	bool known = folders_are_known(engine);
	struct index_view *view = index_view_new(engine->index, error);
	uint32_t folder;
	bool found;

	if (!view)
		return false;
	folder = index_folders_search(view, STORE_ATTR_SENT,
				      STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT);
	found = folder != 0 && index_folder_get(view, folder, ret);
	index_view_free(&view);
	if (found)
		return true;
	if (known)
		g_set_error(error, MAILFS_ERROR, ERROR_GONE, "no folder is marked as \\Sent");
	else
		g_set_error(error, MAILFS_ERROR, ERROR_TEMPORARY, "the folders are not known yet");
	return false;
}

/* --- the name --- */

static bool has_file(struct engine *engine, const struct folder_row *folder, const char *name)
{
	struct spool_file file;

	if (!spool_find(engine->state, folder->id, name, &file))
		return false;
	spool_file_clear(&file);
	return true;
}

/* Half a copy, left by a run that was killed, is none. */
static void remove_half(struct engine *engine, const struct folder_row *folder, const char *name)
{
	struct spool_file file;

	if (!spool_find(engine->state, folder->id, name, &file))
		return;
	if (file.step == SPOOL_LOCAL && file.writers == 0)
		spool_remove(engine->state, file.id, NULL);
	spool_file_clear(&file);
}

static bool has_guest(struct engine *engine, const struct folder_row *folder, const char *name)
{
	struct guest guest;

	if (!changes_guest(engine->state, folder->id, name, &guest))
		return false;
	guest_clear(&guest);
	return true;
}

static bool stands_there(struct engine *engine, const struct folder_row *folder, const char *name)
{
	return has_file(engine, folder, name) ||
	       (folder->epoch && names_find(engine->state, folder->epoch, name) != 0);
}

/* Many send all under one name: they are not to be counted each time. */
static char *name_tail(unsigned attempt)
{
	if (attempt <= 1)
		return g_strdup("");
	return attempt <= NAMES_COUNTED ? g_strdup_printf("~%u", attempt)
					: g_strdup_printf("~%06x", g_random_int() & 0xffffff);
}

/* One that no message has, nor may come to have: those begin with their numbers. */
static char *free_name(struct engine *engine, const struct folder_row *folder, const char *wanted)
{
	const char *front = g_ascii_isdigit(wanted[0]) ? "sent-" : "";
	int stem = (int)(strlen(wanted) - strlen(".eml"));

	for (unsigned i = 1; i <= NAME_TRIES; i++) {
		g_autofree char *tail = name_tail(i);
		g_autofree char *name = g_strdup_printf("%s%.*s%s.eml", front, stem, wanted, tail);

		if (!stands_there(engine, folder, name) && !has_guest(engine, folder, name))
			return g_steal_pointer(&name);
	}
	return NULL;
}

/* --- the message --- */

static bool fill(struct compose *text, int fd, GError **error)
{
	char bytes[64 * 1024];
	off_t offset = 0;
	ssize_t len;

	while ((len = compose_read(text, bytes, sizeof(bytes))) > 0) {
		if (!file_pwrite_all(fd, bytes, (size_t)len, offset))
			return file_fail("write", "a copy of what was sent", error);
		offset += len;
	}
	if (len < 0)
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "it cannot be read any more");
	return len == 0;
}

static bool write_message(struct engine *engine, uint32_t id, struct compose *text, GError **error)
{
	int fd = spool_open(engine->state, id, true, error);
	bool written;

	if (fd < 0)
		return false;
	written = spool_touch(engine->state, id, error) && fill(text, fd, error);
	close(fd);
	return written;
}

static bool make_message(struct engine *engine, const struct folder_row *folder, const char *name,
			 struct compose *text, GError **error)
{
	uint32_t id = spool_create(engine->state, folder->id, folder->name, name, error);
	bool written, queued = false;

	if (id == 0)
		return false;
	written = write_message(engine, id, text, error);
	/* Half a copy is none. */
	if (!written)
		spool_remove(engine->state, id, NULL);
	if (!spool_close(engine->state, id, true, &queued, written ? error : NULL))
		return false;
	if (queued)
		engine_changed(engine);
	return written;
}

static bool file_in(struct engine *engine, const struct folder_row *folder, struct queue *queue,
		    const struct queue_file *file, struct compose *text, GError **error)
{
	g_autofree char *name = NULL;

	if (file->info.copy_name)
		remove_half(engine, folder, file->info.copy_name);
	if (file->info.copy_name && stands_there(engine, folder, file->info.copy_name))
		return true;
	name = free_name(engine, folder, file->name);
	if (!name) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT, "too many of that name");
		return false;
	}
	return queue_set_copy(queue, file, QUEUE_COPY_WANTED, name, error) &&
	       make_message(engine, folder, name, text, error);
}

bool engine_file_sent(struct engine *engine, struct queue *queue, const struct queue_file *file,
		      struct compose *text, GError **error)
{
	struct folder_row folder;
	bool filed;

	if (!find_sent(engine, &folder, error))
		return false;
	filed = file_in(engine, &folder, queue, file, text, error);
	folder_row_clear(&folder);
	return filed;
}
