#include "memory_private.h"

#include <string.h>

struct memory_account memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

void memory_reset(void)
{
	const size_t kept = sizeof(memory.lock);

	pthread_mutex_lock(&memory.lock);
	g_clear_pointer(&memory.owned, g_ptr_array_unref);
	if (memory.journal)
		g_string_free(memory.journal, TRUE);
	g_clear_pointer(&memory.watches, g_ptr_array_unref);
	memset((char *)&memory + kept, 0, sizeof(memory) - kept);
	memory.owned = g_ptr_array_new_with_free_func(g_free);
	memory.journal = g_string_new(NULL);
	memory.abilities = STORE_CAN_CHANGE | STORE_CAN_MOVE | STORE_CAN_EXPUNGE;
	memory.append_max_bytes = UINT64_MAX;
	pthread_mutex_unlock(&memory.lock);
}

/* Lives until the next reset. */
void *memory_own(void *block)
{
	g_ptr_array_add(memory.owned, block);
	return block;
}

unsigned memory_count(const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&memory.lock);
	n = *counter;
	pthread_mutex_unlock(&memory.lock);
	return n;
}

void memory_set(bool *fault, bool on)
{
	pthread_mutex_lock(&memory.lock);
	*fault = on;
	pthread_mutex_unlock(&memory.lock);
}

void memory_fault_set(enum store_job_kind kind, int refuse, enum memory_loss loss)
{
	pthread_mutex_lock(&memory.lock);
	memory.faults[kind] = (struct memory_fault){refuse, loss};
	pthread_mutex_unlock(&memory.lock);
}

struct memory_folder *memory_make_folder(const char *name, uint64_t uidvalidity)
{
	struct memory_folder *folder = &memory.folders[memory.folder_count++];

	g_assert_cmpuint(memory.folder_count, <=, G_N_ELEMENTS(memory.folders));
	folder->name = name;
	folder->uidvalidity = uidvalidity;
	folder->uidnext = 1;
	folder->may = STORE_MAY_ALL;
	return folder;
}

struct memory_folder *memory_folder_add(const char *name, uint64_t uidvalidity)
{
	struct memory_folder *folder;

	pthread_mutex_lock(&memory.lock);
	folder = memory_make_folder(name, uidvalidity);
	pthread_mutex_unlock(&memory.lock);
	return folder;
}

struct memory_folder *memory_find(const char *name)
{
	for (unsigned i = 0; i < memory.folder_count; i++) {
		if (!memory.folders[i].gone && strcmp(memory.folders[i].name, name) == 0)
			return &memory.folders[i];
	}
	return NULL;
}

struct memory_folder *memory_folder_find(const char *name)
{
	struct memory_folder *folder;

	pthread_mutex_lock(&memory.lock);
	folder = memory_find(name);
	pthread_mutex_unlock(&memory.lock);
	return folder;
}

void memory_put_message(struct memory_folder *folder, const struct memory_message *message)
{
	if (folder->count == folder->room) {
		struct memory_message *old = folder->messages;

		folder->room = folder->room ? 2 * folder->room : 64;
		folder->messages = memory_own(g_new0(struct memory_message, folder->room));
		if (old)
			memcpy(folder->messages, old, folder->count * sizeof(*old));
	}
	folder->messages[folder->count++] = *message;
	folder->uidnext = MAX(folder->uidnext, message->uid + 1);
}

void memory_message_add(struct memory_folder *folder, uint32_t uid, const char *subject,
			const char *body)
{
	struct memory_message message = {.uid = uid,
					 .keywords = "",
					 .subject = subject,
					 .body = body,
					 .size_told = strlen(body),
					 .date_s = 1000000};

	pthread_mutex_lock(&memory.lock);
	memory_put_message(folder, &message);
	pthread_mutex_unlock(&memory.lock);
}

void memory_take_message(struct memory_folder *folder, uint32_t uid)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < folder->count; i++) {
		if (folder->messages[i].uid != uid)
			folder->messages[kept++] = folder->messages[i];
	}
	folder->count = kept;
}

void memory_message_remove(struct memory_folder *folder, uint32_t uid)
{
	pthread_mutex_lock(&memory.lock);
	memory_take_message(folder, uid);
	pthread_mutex_unlock(&memory.lock);
}

char *memory_journal(void)
{
	char *journal;

	pthread_mutex_lock(&memory.lock);
	journal = g_strdup(memory.journal->str);
	g_string_truncate(memory.journal, 0);
	pthread_mutex_unlock(&memory.lock);
	return journal;
}

static void print_message(const struct memory_message *message, GString *out)
{
	static const char letters[] = "SAFDT";

	g_string_append_printf(out, "%s%u", out->len ? " " : "", message->uid);
	for (unsigned i = 0; letters[i]; i++) {
		if (message->flags & 1u << i)
			g_string_append_c(out, letters[i]);
	}
	if (*message->keywords)
		g_string_append_printf(out, " (%s)", message->keywords);
}

char *memory_messages(const char *name)
{
	GString *out = g_string_new(NULL);
	const struct memory_folder *folder;

	pthread_mutex_lock(&memory.lock);
	folder = memory_find(name);
	for (unsigned i = 0; folder && i < folder->count; i++)
		print_message(&folder->messages[i], out);
	if (!folder)
		g_string_append_c(out, '-');
	pthread_mutex_unlock(&memory.lock);
	return g_string_free(out, FALSE);
}

struct store_mailbox memory_mailbox(const struct memory_folder *folder)
{
	return (struct store_mailbox){.uidvalidity = folder->uidvalidity,
				      .messages = folder->count_told ? folder->count_told
								     : folder->count,
				      .uidnext = folder->uidnext,
				      .modseq = folder->modseq,
				      .read_only = folder->read_only};
}

GPtrArray *memory_words(const char *words)
{
	GPtrArray *array = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) each = g_strsplit(words, " ", -1);

	for (unsigned i = 0; each[i]; i++) {
		if (*each[i])
			g_ptr_array_add(array, g_strdup(each[i]));
	}
	return array;
}

struct memory_message *memory_find_message(const struct memory_folder *folder, uint32_t uid)
{
	for (unsigned i = 0; i < folder->count; i++) {
		if (folder->messages[i].uid == uid)
			return &folder->messages[i];
	}
	return NULL;
}
