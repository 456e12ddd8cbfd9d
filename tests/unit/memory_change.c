/* What changes messages and folders of the account in memory. */
#include "memory_private.h"

#include "base/error.h"
#include "base/words.h"
#include "store/identity.h"

#include <string.h>
#include <unistd.h>

void memory_leave(struct store *store)
{
	if (store->open)
		store->open->openers--;
	store->open = NULL;
	store->changeable = false;
}

static const char *const verbs[] = {
	[STORE_FLAGS] = "flags",   [STORE_EXPUNGE] = "expunge", [STORE_MOVE] = "move",
	[STORE_COPY] = "copy",	   [STORE_APPEND] = "append",	[STORE_CREATE] = "create",
	[STORE_DELETE] = "delete", [STORE_RENAME] = "rename",
};

static void note(const struct store_job *job, const struct seqset *uids)
{
	GString *out = memory.journal;

	g_string_append_printf(out, "%s %s", verbs[job->kind], job->name);
	if (uids->ranges) {
		g_string_append_c(out, ' ');
		seqset_format(uids, out);
	}
	if (job->set || job->clear)
		g_string_append_printf(out, " +%x-%x", job->set, job->clear);
	if (job->set_words && *job->set_words)
		g_string_append_printf(out, " +%s", job->set_words);
	if (job->clear_words && *job->clear_words)
		g_string_append_printf(out, " -%s", job->clear_words);
	if (job->target && job->kind != STORE_EXPUNGE)
		g_string_append_printf(out, " %s", job->target);
	g_string_append_c(out, '\n');
}

static void tell_rights(struct store *store, const struct store_job *job,
			const struct memory_folder *folder)
{
	g_autoptr(GPtrArray) keywords = g_ptr_array_new_with_free_func(g_free);
	struct store_rights rights = {folder->read_only, folder->may, 0x1f, keywords};

	for (unsigned i = 0; i < folder->count; i++) {
		g_autoptr(GPtrArray) words = memory_words(folder->messages[i].keywords);

		g_ptr_array_extend_and_steal(keywords, g_steal_pointer(&words));
	}
	if (!store->mute)
		store->sink->rights(store->data, job->folder, &rights);
}

void memory_open_folder(struct store *store, const struct store_job *job,
			struct memory_folder *folder)
{
	bool changes = job->kind >= STORE_RIGHTS && job->kind <= STORE_COPY;

	if (store->open != folder) {
		memory_leave(store);
		store->open = folder;
		folder->openers++;
	}
	if (changes && (!store->changeable || job->kind == STORE_RIGHTS)) {
		store->changeable = true;
		tell_rights(store, job, folder);
	}
}

static unsigned rights_of_flags(const struct store_job *job)
{
	unsigned flags = job->set | job->clear;
	unsigned needed = 0;

	if (flags & STORE_FLAG_DELETED)
		needed |= STORE_MAY_DELETE;
	if (flags & STORE_FLAG_SEEN)
		needed |= STORE_MAY_SEEN;
	if (flags & ~(unsigned)(STORE_FLAG_DELETED | STORE_FLAG_SEEN))
		needed |= STORE_MAY_FLAG;
	return needed;
}

static GError *refuse(const struct memory_folder *folder, unsigned needed)
{
	if (folder->read_only)
		return g_error_new(MAILFS_ERROR, ERROR_READ_ONLY, "read-only");
	if (needed & ~folder->may)
		return g_error_new(MAILFS_ERROR, ERROR_DENIED, "permission denied");
	return NULL;
}

static void remove_all(struct store *store, const struct store_job *job,
		       struct memory_folder *folder, const struct seqset *uids)
{
	for (guint i = 0; uids->ranges && i < uids->ranges->len; i++) {
		struct seqrange range = g_array_index(uids->ranges, struct seqrange, i);

		for (uint32_t uid = range.first; uid <= range.last; uid++)
			memory_take_message(folder, uid);
	}
	if (uids->ranges && !store->mute)
		store->sink->gone(store->data, job->folder, folder->uidvalidity, uids);
}

/* Those that are gone already are told as gone too. */
static GError *run_remove(struct store *store, const struct store_job *job,
			  struct memory_folder *folder)
{
	bool doubtful = memory.doubtful && seqset_contains(&job->uids, memory.doubtful);
	struct seqset uids = {0};

	seqset_add_all(&uids, &job->uids);
	if (doubtful)
		seqset_remove(&uids, memory.doubtful, memory.doubtful);
	note(job, &uids);
	remove_all(store, job, folder, &uids);
	seqset_clear(&uids);
	store->ending = true;
	return doubtful ? g_error_new(MAILFS_ERROR,
				      memory.doubt_error ? memory.doubt_error : ERROR_DENIED,
				      "it may be another")
			: NULL;
}

static void tell_flags(struct store *store, const struct store_job *job,
		       const struct memory_folder *folder, const struct memory_message *message)
{
	g_autoptr(GPtrArray) keywords = memory_words(message->keywords);

	if (memory.echo && !store->mute)
		store->sink->flags(store->data, job->folder, folder->uidvalidity, message->uid,
				   message->flags, keywords);
}

static GError *run_flags(struct store *store, const struct store_job *job,
			 struct memory_folder *folder)
{
	GError *refused = refuse(folder, rights_of_flags(job));

	for (unsigned i = 0; !refused && i < folder->count; i++) {
		struct memory_message *message = &folder->messages[i];

		if (memory.undone || !seqset_contains(&job->uids, message->uid))
			continue;
		message->flags = (message->flags | job->set) & ~job->clear;
		if (folder->modseq > 0)
			message->modseq = ++folder->modseq;
		message->keywords = memory_own(
			words_alter(message->keywords, job->set_words, job->clear_words));
		tell_flags(store, job, folder, message);
	}
	if (!refused)
		note(job, &job->uids);
	return refused;
}

/* Those of the job that are there. */
static struct seqset uids_there(const struct store_job *job, const struct memory_folder *folder)
{
	struct seqset uids = {0};

	for (unsigned i = 0; i < folder->count; i++) {
		if (seqset_contains(&job->uids, folder->messages[i].uid))
			seqset_add(&uids, folder->messages[i].uid, folder->messages[i].uid);
	}
	return uids;
}

static GError *run_expunge(struct store *store, const struct store_job *job,
			   struct memory_folder *folder)
{
	bool can = memory.abilities & STORE_CAN_EXPUNGE;
	GError *refused = refuse(folder, can ? STORE_MAY_EXPUNGE : STORE_MAY_DELETE);
	struct seqset uids = {0};

	if (refused)
		return refused;
	uids = uids_there(job, folder);
	note(job, &uids);
	if (can)
		remove_all(store, job, folder, &uids);
	for (unsigned i = 0; !can && i < folder->count; i++) {
		if (seqset_contains(&uids, folder->messages[i].uid))
			folder->messages[i].flags |= STORE_FLAG_DELETED;
	}
	seqset_clear(&uids);
	return NULL;
}

static void copy_all(struct store_job *job, const struct memory_folder *folder,
		     struct memory_folder *target, const struct seqset *uids)
{
	unsigned count = folder->count; /* the target may be the same */

	if (!memory.no_uidplus && uids->ranges)
		job->copied = g_array_new(FALSE, FALSE, sizeof(struct store_pair));
	for (unsigned i = 0; i < count; i++) {
		struct memory_message message = folder->messages[i];
		struct store_pair pair = {message.uid, target->uidnext};

		if (!seqset_contains(uids, message.uid))
			continue;
		message.uid = pair.to;
		memory_put_message(target, &message);
		if (job->copied)
			g_array_append_val(job->copied, pair);
	}
	if (job->copied)
		job->box = memory_mailbox(target);
	if (job->copied && memory.copied_to)
		job->box.uidvalidity = memory.copied_to;
}

static GError *run_copy(struct store *store, struct store_job *job, struct memory_folder *folder)
{
	struct memory_folder *target = memory_find(job->target);
	struct seqset uids;
	GError *refused;

	if (!target)
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "no such folder");
	refused = refuse(target, STORE_MAY_INSERT);
	if (!refused && job->kind == STORE_MOVE)
		refused = refuse(folder, STORE_MAY_DELETE | STORE_MAY_EXPUNGE);
	if (refused)
		return refused;
	job->sent = true;
	uids = uids_there(job, folder);
	note(job, &uids);
	copy_all(job, folder, target, &uids);
	if (job->kind == STORE_MOVE)
		remove_all(store, job, folder, &uids);
	seqset_clear(&uids);
	return NULL;
}

static void run_find(struct store_job *job, const struct memory_folder *folder)
{
	bool all = !job->uids.ranges;

	job->found = g_ptr_array_new_with_free_func(store_identity_free);
	for (unsigned i = 0; i < folder->count; i++) {
		const struct memory_message *message = &folder->messages[i];
		struct store_identity *identity;

		if (all ? message->uid < job->known.uidnext
			: !seqset_contains(&job->uids, message->uid))
			continue;
		identity = g_new0(struct store_identity, 1);
		identity->uid = message->uid;
		identity->size = strlen(message->body);
		identity->date_s = message->date_s;
		identity->fields = store_identity_fields(message->body, strlen(message->body));
		g_ptr_array_add(job->found, identity);
	}
}

GError *memory_append(struct store_job *job, struct memory_folder *folder)
{
	GError *refused = refuse(folder, STORE_MAY_INSERT);
	struct memory_message message = {.uid = folder->uidnext,
					 .flags = job->set,
					 .keywords = "",
					 .date_s = job->date_s,
					 .size_told = job->len};
	char *body;

	if (refused)
		return refused;
	body = memory_own(g_malloc0(job->len + 1));
	g_assert_cmpint(pread(job->fd, body, job->len, 0), ==, (ssize_t)job->len);
	message.body = body;
	message.subject = "appended";
	job->sent = true;
	memory_put_message(folder, &message);
	note(job, &(struct seqset){0});
	if (!memory.no_uidplus) {
		job->appended_uid = message.uid;
		job->box = memory_mailbox(folder);
	}
	return NULL;
}

static GError *run_measure(struct store_job *job, const struct memory_folder *folder)
{
	const struct memory_message *message = memory_find_message(folder, job->uid);

	if (!message)
		return g_error_new(MAILFS_ERROR, ERROR_GONE, "gone");
	job->honest = job->size_hint == strlen(message->body);
	return NULL;
}

/* --- folders --- */

static bool is_within(const char *name, const char *above, char separator)
{
	size_t len = strlen(above);

	return strncmp(name, above, len) == 0 &&
	       (name[len] == '\0' || (separator && name[len] == separator));
}

GError *memory_create(struct store_job *job)
{
	if (memory_find(job->name))
		return g_error_new(MAILFS_ERROR, ERROR_EXISTS, "it exists");
	job->sent = true;
	memory_make_folder(memory_own(g_strdup(job->name)), 1000 + memory.folder_count);
	note(job, &(struct seqset){0});
	return NULL;
}

GError *memory_delete(struct store_job *job, struct memory_folder *folder)
{
	GError *refused = refuse(folder, STORE_MAY_DROP);

	if (refused)
		return refused;
	for (unsigned i = 0; i < folder->count; i++) {
		if (!(folder->messages[i].flags & STORE_FLAG_DELETED))
			return g_error_new(MAILFS_ERROR, ERROR_NOT_EMPTY, "not empty");
	}
	job->sent = true;
	memory.trespasses += folder->openers;
	folder->gone = true;
	note(job, &(struct seqset){0});
	return NULL;
}

GError *memory_rename(struct store_job *job, const struct memory_folder *folder)
{
	GError *refused = refuse(folder, STORE_MAY_DROP);
	const char *old = folder->name;

	if (refused)
		return refused;
	if (memory_find(job->target))
		return g_error_new(MAILFS_ERROR, ERROR_EXISTS, "it exists");
	job->sent = true;
	for (unsigned i = 0; i < memory.folder_count; i++) {
		struct memory_folder *each = &memory.folders[i];

		if (each->gone || !is_within(each->name, old, job->separator))
			continue;
		memory.trespasses += each->openers;
		each->name = memory_own(g_strconcat(job->target, each->name + strlen(old), NULL));
	}
	note(job, &(struct seqset){0});
	return NULL;
}

void memory_leave_job(struct store *store, const struct store_job *job)
{
	if (store->open && is_within(store->open->name, job->name, job->separator))
		memory_leave(store);
}

/* In a folder that is open, at the UIDVALIDITY that is meant. */
GError *memory_run_in_folder(struct store *store, struct store_job *job,
			     struct memory_folder *folder)
{
	memory_open_folder(store, job, folder);
	if (job->known.uidvalidity && job->known.uidvalidity != folder->uidvalidity)
		return g_error_new(MAILFS_ERROR, ERROR_STALE, "replaced");
	switch (job->kind) {
	case STORE_MEASURE:
		return run_measure(job, folder);
	case STORE_FLAGS:
		if (memory.abilities & STORE_CAN_REMOVE)
			return run_remove(store, job, folder);
		return run_flags(store, job, folder);
	case STORE_EXPUNGE:
		return run_expunge(store, job, folder);
	case STORE_MOVE:
	case STORE_COPY:
		return run_copy(store, job, folder);
	case STORE_FIND:
		run_find(job, folder);
		return NULL;
	default:
		return NULL;
	}
}
