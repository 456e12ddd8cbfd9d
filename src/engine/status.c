/* What .mailfs/status tells. */
#include "engine/engine_private.h"

void status_error(struct engine *engine, const struct lane *lane, const GError *error)
{
	struct last_error *last = &engine->shared.last_error;

	pthread_mutex_lock(&engine->lock);
	g_free(last->text);
	*last = (struct last_error){
		.text = g_strdup(error->message), .when_ns = engine->now_ns, .lane = lane};
	pthread_mutex_unlock(&engine->lock);
}

/* Without the listing lane there is none of the others. */
void status_recovered(struct engine *engine, const struct lane *lane)
{
	struct last_error *last = &engine->shared.last_error;

	pthread_mutex_lock(&engine->lock);
	last->over |= lane == last->lane || lane == &engine->lanes[LANE_LIST];
	pthread_mutex_unlock(&engine->lock);
}

static void append_time(GString *text, int64_t ns)
{
	g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(ns / 1000000000);
	g_autofree char *stamp = utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ") : NULL;

	g_string_append(text, stamp ? stamp : "-");
}

static void append_last_error(GString *text, const struct last_error *last)
{
	g_string_append_printf(text, "last-error: %s", last->text ? last->text : "none");
	if (last->text) {
		g_string_append(text, " (");
		append_time(text, last->when_ns);
		g_string_append(text, last->over ? ", over)" : ")");
	}
	g_string_append_c(text, '\n');
}

char *engine_status(struct engine *engine)
{
	GString *text = g_string_new(NULL);
	const struct shared *shared = &engine->shared;

	g_string_append_printf(text, "version: %s\naccount: %s\n", MAILFS_VERSION,
			       engine->account->name);
	pthread_mutex_lock(&engine->lock);
	g_string_append_printf(text, "state: %s\nsince: ", account_state_word(shared->state));
	append_time(text, shared->state_since_ns);
	g_string_append_c(text, '\n');
	g_string_append(text, shared->description ? shared->description : "");
	g_string_append_printf(text, "connections: %u\n", shared->connections);
	g_string_append_printf(text, "watching: %s\n", shared->watched ? shared->watched : "none");
	append_last_error(text, &shared->last_error);
	pthread_mutex_unlock(&engine->lock);
	if (engine->sandbox)
		g_string_append_printf(text, "sandbox: %s\n", engine->sandbox);
	g_string_append_printf(text, "pending-changes: %u\n", state_pending(engine->state));
	g_string_append_printf(text, "cache-bytes: %" G_GUINT64_FORMAT "\n",
			       bodies_total(engine->bodies));
	g_string_append_printf(text, "cache-limit: %" G_GUINT64_FORMAT "\n",
			       engine->account->cache_size_bytes);
	return g_string_free(text, FALSE);
}
