/* What the engine tells: collected during a turn, told after the commit that made it true. */
#include "engine/engine_private.h"

#include "base/log.h"

#include <errno.h>

enum report_kind {
	REPORT_SETTLED,
	REPORT_MESSAGE_GONE,
	REPORT_MESSAGE_CHANGED,
	REPORT_BODY_AHEAD,
	REPORT_NAME_CHANGED,
	REPORT_FOLDER_GONE,
	REPORT_EPOCH_GONE,
};

struct report {
	enum report_kind kind;
	int error;
	struct need need;
	uint32_t folder;
	uint32_t epoch; /* FOLDER_GONE: the parent */
	uint32_t uid;
	uint64_t size;
	char *name; /* label or leaf */
	char *chosen;
	char token[sizeof(((struct folder_row *)NULL)->token)];
};

GArray *report_array_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct report));
}

static void report_add(struct engine *engine, const struct report *report)
{
	g_array_append_vals(engine->reports, report, 1);
}

void report_settled(struct engine *engine, const struct need *need, int error)
{
	report_add(engine, &(struct report){.kind = REPORT_SETTLED, .need = *need, .error = error});
}

void report_message_gone(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
			 const char *label, const char *token, const char *chosen)
{
	struct report report = {.kind = REPORT_MESSAGE_GONE,
				.folder = folder,
				.epoch = epoch,
				.uid = uid,
				.name = g_strdup(label),
				.chosen = g_strdup(chosen)};

	g_strlcpy(report.token, token, sizeof(report.token));
	report_add(engine, &report);
}

void report_message_changed(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	report_add(engine,
		   &(struct report){.kind = REPORT_MESSAGE_CHANGED, .epoch = epoch, .uid = uid});
}

void report_body_ahead(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t size)
{
	report_add(engine,
		   &(struct report){
			   .kind = REPORT_BODY_AHEAD, .epoch = epoch, .uid = uid, .size = size});
}

void report_name_changed(struct engine *engine, uint32_t folder, const char *name)
{
	report_add(engine, &(struct report){.kind = REPORT_NAME_CHANGED,
					    .folder = folder,
					    .name = g_strdup(name)});
}

void report_folder_gone(struct engine *engine, const struct folder_row *row)
{
	report_add(engine, &(struct report){.kind = REPORT_FOLDER_GONE,
					    .folder = row->id,
					    .epoch = row->parent,
					    .name = g_strdup(row->leaf)});
}

void report_epoch_gone(struct engine *engine, uint32_t folder, uint32_t epoch)
{
	report_add(engine,
		   &(struct report){.kind = REPORT_EPOCH_GONE, .folder = folder, .epoch = epoch});
}

void report_touched(struct engine *engine, uint32_t folder)
{
	g_hash_table_add(engine->touched, GUINT_TO_POINTER(folder));
}

static void tell(struct engine *engine, const struct report *report)
{
	const struct engine_events *events = engine->events;

	switch (report->kind) {
	case REPORT_SETTLED:
		events->settled(engine->data, &report->need, report->error);
		break;
	case REPORT_MESSAGE_GONE:
		events->message_gone(engine->data, report->folder, report->epoch, report->uid,
				     report->name, report->token, report->chosen);
		break;
	case REPORT_MESSAGE_CHANGED:
		events->message_changed(engine->data, report->epoch, report->uid);
		break;
	case REPORT_BODY_AHEAD:
		events->body_ahead(engine->data, report->epoch, report->uid, report->size);
		break;
	case REPORT_NAME_CHANGED:
		events->name_changed(engine->data, report->folder, report->name);
		break;
	case REPORT_FOLDER_GONE:
		events->folder_gone(engine->data, report->folder, report->epoch, report->name);
		break;
	case REPORT_EPOCH_GONE:
		events->epoch_gone(engine->data, report->folder, report->epoch);
		break;
	}
}

static void touch_folders(struct engine *engine)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, engine->touched);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		uint32_t folder = GPOINTER_TO_UINT(key);

		/* Later than what this mount changed by itself. */
		if (folder != INDEX_ROOT)
			index_folder_touch(
				engine->index, folder,
				MAX(engine->now_ns, state_touched_ns(engine->state, folder) + 1));
	}
}

static void tell_touched(struct engine *engine)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, engine->touched);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		engine->events->folder_changed(engine->data, GPOINTER_TO_UINT(key));
	g_hash_table_remove_all(engine->touched);
}

/* Who waits for a listing would find it missing, and ask again. */
static void lose_listings(struct engine *engine)
{
	for (unsigned i = 0; i < engine->reports->len; i++) {
		struct report *report = &g_array_index(engine->reports, struct report, i);

		if (report->kind == REPORT_SETTLED && report->need.kind != NEED_BODY &&
		    report->error == 0)
			report->error = EIO;
	}
	folders_lost(engine);
}

void report_commit(struct engine *engine)
{
	g_autoptr(GError) error = NULL;

	if (index_commit(engine->index, &error)) {
		arrivals_shown(engine);
		return;
	}
	log_error("%s: %s", engine->account->name, error->message);
	lose_listings(engine);
}

void report_all(struct engine *engine)
{
	touch_folders(engine);
	report_commit(engine);
	tell_touched(engine);
	/* Changes before settlements: who is answered must find the kernel's copies dropped. */
	for (unsigned i = 0; i < engine->reports->len; i++) {
		const struct report *report = &g_array_index(engine->reports, struct report, i);

		if (report->kind != REPORT_SETTLED)
			tell(engine, report);
	}
	for (unsigned i = 0; i < engine->reports->len; i++) {
		const struct report *report = &g_array_index(engine->reports, struct report, i);

		if (report->kind == REPORT_SETTLED)
			tell(engine, report);
	}
	report_clear(engine);
	news_tell(engine);
	if (engine->start_settled)
		lanes_first_attempt_ended(engine, NULL);
	engine->start_settled = false;
}

void report_clear(struct engine *engine)
{
	for (unsigned i = 0; i < engine->reports->len; i++) {
		struct report *report = &g_array_index(engine->reports, struct report, i);

		g_free(report->name);
		g_free(report->chosen);
	}
	g_array_set_size(engine->reports, 0);
}
