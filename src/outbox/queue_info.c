/* The key files of info/. What is text there stands in quotes, escaped: a name may be any bytes. */
#include "outbox/queue_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/number.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INFO_MAX (64 * 1024 * 1024)
#define INFO_PATH_MAX 16
#define MESSAGE "message"

static const char *const step_words[] = {"draft", "waiting", "sending", "sent", "failed", NULL};
static const char *const verdict_words[] = {"open", "taken", "done", "refused", "unknown", NULL};
static const char *const copy_words[] = {"none", "wanted", "filed", NULL};

/* --- in memory --- */

void queue_recipient_free(void *data)
{
	struct queue_recipient *recipient = data;

	g_free(recipient->address);
	g_free(recipient->reply);
	g_free(recipient);
}

static gpointer recipient_copy(gconstpointer data, gpointer unused)
{
	const struct queue_recipient *recipient = data;
	struct queue_recipient *copy = g_new(struct queue_recipient, 1);

	copy->address = g_strdup(recipient->address);
	copy->verdict = recipient->verdict;
	copy->reply = g_strdup(recipient->reply);
	return copy;
}

void queue_info_copy(const struct queue_info *info, struct queue_info *ret)
{
	struct queue_info copy = *info;

	copy.reply = g_strdup(info->reply);
	copy.given = g_strdup(info->given);
	copy.sender = g_strdup(info->sender);
	copy.message_id = g_strdup(info->message_id);
	copy.copy_name = g_strdup(info->copy_name);
	copy.recipients = g_ptr_array_new_with_free_func(queue_recipient_free);
	for (guint i = 0; info->recipients && i < info->recipients->len; i++)
		g_ptr_array_add(copy.recipients,
				recipient_copy(g_ptr_array_index(info->recipients, i), NULL));
	*ret = copy;
}

void queue_info_clear(struct queue_info *info)
{
	g_free(info->reply);
	g_free(info->given);
	g_free(info->sender);
	g_free(info->message_id);
	g_free(info->copy_name);
	g_clear_pointer(&info->recipients, g_ptr_array_unref);
	*info = (struct queue_info){0};
}

bool queue_info_has_done(const struct queue_info *info)
{
	for (guint i = 0; i < info->recipients->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);

		if (recipient->verdict == QUEUE_DONE)
			return true;
	}
	return false;
}

void queue_info_reopen(struct queue_info *info)
{
	for (guint i = 0; i < info->recipients->len; i++) {
		struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);

		if (recipient->verdict == QUEUE_DONE)
			continue;
		recipient->verdict = QUEUE_OPEN;
		g_clear_pointer(&recipient->reply, g_free);
	}
	info->tries = 0;
	info->error = 0;
	g_clear_pointer(&info->reply, g_free);
}

void queue_info_take_back(struct queue_info *info)
{
	queue_info_reopen(info);
	info->handed_ms = info->not_before_ms = 0;
	if (queue_info_has_done(info))
		return;
	g_ptr_array_set_size(info->recipients, 0);
	g_clear_pointer(&info->sender, g_free);
	g_clear_pointer(&info->message_id, g_free);
	info->date_s = 0;
	g_clear_pointer(&info->copy_name, g_free);
	info->copy = QUEUE_COPY_NONE;
}

void queue_record_clear(struct queue_record *record)
{
	g_clear_pointer(&record->name, g_free);
	queue_info_clear(&record->info);
}

/* --- to text --- */

static void set_text(GKeyFile *file, const char *group, const char *key, const char *text)
{
	if (!text)
		return;
	g_autofree char *escaped = g_strescape(text, NULL);
	g_autofree char *quoted = g_strconcat("\"", escaped, "\"", NULL);

	g_key_file_set_value(file, group, key, quoted);
}

static void set_number(GKeyFile *file, const char *key, int64_t number)
{
	if (number > 0)
		g_key_file_set_int64(file, MESSAGE, key, number);
}

static char *to_text(const struct queue_record *record, gsize *ret_len)
{
	const struct queue_info *info = &record->info;
	g_autoptr(GKeyFile) file = g_key_file_new();

	g_key_file_set_value(file, MESSAGE, "step", step_words[record->step]);
	set_text(file, MESSAGE, "name", record->name);
	set_number(file, "handed_ms", info->handed_ms);
	set_number(file, "not_before_ms", info->not_before_ms);
	set_number(file, "sent_ms", record->sent_ms);
	set_number(file, "tries", info->tries);
	set_number(file, "error", info->error);
	set_text(file, MESSAGE, "reply", info->reply);
	set_text(file, MESSAGE, "given", info->given);
	set_text(file, MESSAGE, "sender", info->sender);
	set_text(file, MESSAGE, "message_id", info->message_id);
	set_number(file, "date_s", info->date_s);
	g_key_file_set_value(file, MESSAGE, "copy", copy_words[info->copy]);
	set_text(file, MESSAGE, "copy_name", info->copy_name);
	set_number(file, "recipients", info->recipients->len);
	for (guint i = 0; i < info->recipients->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);
		char group[16];

		g_snprintf(group, sizeof(group), "%u", i);
		set_text(file, group, "address", recipient->address);
		g_key_file_set_value(file, group, "verdict", verdict_words[recipient->verdict]);
		set_text(file, group, "reply", recipient->reply);
	}
	return g_key_file_to_data(file, ret_len, NULL);
}

/* --- from text: each is false if it makes no sense; what is missing is fine --- */

/* g_strcompress() complains of a last backslash that escapes nothing. */
static bool is_escaped(const char *text, size_t len)
{
	size_t slashes = 0;

	while (slashes < len && text[len - 1 - slashes] == '\\')
		slashes++;
	return slashes % 2 == 0;
}

static bool get_text(GKeyFile *file, const char *group, const char *key, char **ret)
{
	g_autofree char *value = g_key_file_get_value(file, group, key, NULL);
	size_t len = value ? strlen(value) : 0;

	if (!value)
		return true;
	if (len < 2 || value[0] != '"' || value[len - 1] != '"' || !is_escaped(value, len - 1))
		return false;
	value[len - 1] = '\0';
	*ret = g_strcompress(value + 1);
	return true;
}

static bool get_number(GKeyFile *file, const char *key, uint64_t max, int64_t *ret)
{
	g_autofree char *value = g_key_file_get_value(file, MESSAGE, key, NULL);
	uint64_t number;

	if (!value)
		return true;
	if (!number_parse_u64(value, strlen(value), &number) || number > max)
		return false;
	*ret = (int64_t)number;
	return true;
}

static bool get_word(GKeyFile *file, const char *group, const char *key, const char *const *words,
		     unsigned *ret)
{
	g_autofree char *value = g_key_file_get_value(file, group, key, NULL);

	for (unsigned i = 0; value && words[i]; i++) {
		if (strcmp(words[i], value) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool get_recipient(GKeyFile *file, unsigned n, GPtrArray *recipients)
{
	struct queue_recipient *recipient = g_new0(struct queue_recipient, 1);
	unsigned verdict = 0;
	char group[16];

	g_ptr_array_add(recipients, recipient);
	g_snprintf(group, sizeof(group), "%u", n);
	if (!get_text(file, group, "address", &recipient->address) || !recipient->address ||
	    !get_word(file, group, "verdict", verdict_words, &verdict) ||
	    !get_text(file, group, "reply", &recipient->reply))
		return false;
	recipient->verdict = (enum queue_verdict)verdict;
	return true;
}

static bool get_numbers(GKeyFile *file, struct queue_record *ret, int64_t *ret_recipients)
{
	int64_t tries = 0, error = 0;

	if (!get_number(file, "handed_ms", INT64_MAX, &ret->info.handed_ms) ||
	    !get_number(file, "not_before_ms", INT64_MAX, &ret->info.not_before_ms) ||
	    !get_number(file, "sent_ms", INT64_MAX, &ret->sent_ms) ||
	    !get_number(file, "date_s", INT64_MAX, &ret->info.date_s) ||
	    !get_number(file, "tries", INT_MAX, &tries) ||
	    !get_number(file, "error", INT_MAX, &error) ||
	    !get_number(file, "recipients", LIMIT_RECIPIENTS, ret_recipients))
		return false;
	ret->info.tries = (unsigned)tries;
	ret->info.error = (int)error;
	return true;
}

static bool get_all(GKeyFile *file, struct queue_record *ret)
{
	struct queue_info *info = &ret->info;
	unsigned step = 0, copy = 0;
	int64_t recipients = 0;
	bool ok = get_word(file, MESSAGE, "step", step_words, &step) &&
		  get_text(file, MESSAGE, "name", &ret->name) && ret->name &&
		  queue_name_is_sound(ret->name) && get_numbers(file, ret, &recipients) &&
		  get_text(file, MESSAGE, "reply", &info->reply) &&
		  get_text(file, MESSAGE, "given", &info->given) &&
		  get_text(file, MESSAGE, "sender", &info->sender) &&
		  get_text(file, MESSAGE, "message_id", &info->message_id) &&
		  get_word(file, MESSAGE, "copy", copy_words, &copy) &&
		  get_text(file, MESSAGE, "copy_name", &info->copy_name);

	ret->step = (enum queue_step)step;
	info->copy = (enum queue_copy)copy;
	info->recipients = g_ptr_array_new_with_free_func(queue_recipient_free);
	for (int64_t i = 0; ok && i < recipients; i++)
		ok = get_recipient(file, (unsigned)i, info->recipients);
	return ok;
}

/* --- on disk --- */

static void info_path(uint32_t id, char ret[INFO_PATH_MAX])
{
	g_snprintf(ret, INFO_PATH_MAX, "%u", id);
}

bool queue_info_get(struct queue *queue, uint32_t id, struct queue_record *ret, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	struct queue_record record = {0};
	g_autofree char *bytes = NULL;
	char path[INFO_PATH_MAX];
	gsize len;

	info_path(id, path);
	if (!file_read_at(queue->dirs[QUEUE_DIR_INFO], path, INFO_MAX, &bytes, &len, error))
		return false;
	if (g_key_file_load_from_data(file, bytes, len, G_KEY_FILE_NONE, NULL) &&
	    get_all(file, &record)) {
		*ret = record;
		return true;
	}
	queue_record_clear(&record);
	g_set_error(error, MAILFS_ERROR, ERROR_IO, "'%s/info/%s' is damaged", queue->path, path);
	return false;
}

/* The directory is not synced. */
static bool info_write(struct queue *queue, uint32_t id, const struct queue_record *record)
{
	int dir = queue->dirs[QUEUE_DIR_INFO];
	char path[INFO_PATH_MAX], temporary[INFO_PATH_MAX + 4];
	gsize len;
	g_autofree char *text = to_text(record, &len);

	info_path(id, path);
	g_snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	if (!file_write_at(dir, temporary, text, len))
		return false;
	if (renameat(dir, temporary, dir, path) == 0)
		return true;
	int number = errno;

	unlinkat(dir, temporary, 0);
	errno = number;
	return false;
}

static bool info_fail(struct queue *queue, uint32_t id, GError **error)
{
	char path[INFO_PATH_MAX];

	info_path(id, path);
	return queue_fail(queue, "write", QUEUE_DIR_INFO, path, error);
}

bool queue_info_put(struct queue *queue, struct queue_entry *entry,
		    const struct queue_record *record, GError **error)
{
	uint32_t id = entry->file.id;
	bool had_info = entry->has_info;

	if (!info_write(queue, id, record))
		return info_fail(queue, id, error);
	entry->has_info = true;
	if (fsync(queue->dirs[QUEUE_DIR_INFO]) == 0)
		return true;
	info_fail(queue, id, error);
	queue_info_restore(queue, entry, had_info);
	return false;
}

void queue_info_restore(struct queue *queue, struct queue_entry *entry, bool had_info)
{
	const struct queue_file *file = &entry->file;
	const struct queue_record record = {file->step, file->name, entry->sent_ms, file->info};
	bool ok = had_info ? info_write(queue, file->id, &record)
			   : queue_info_unlink(queue, file->id);

	if (ok)
		entry->has_info = had_info;
	else
		log_error("cannot write '%s/info/%u' as it was: %s", queue->path, file->id,
			  g_strerror(errno));
}

bool queue_info_unlink(struct queue *queue, uint32_t id)
{
	char path[INFO_PATH_MAX];

	info_path(id, path);
	return unlinkat(queue->dirs[QUEUE_DIR_INFO], path, 0) == 0 || errno == ENOENT;
}
