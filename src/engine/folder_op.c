/* Making, removing and renaming folders: the server is asked at once, and whoever asked waits for
 * its verdict. All our connections leave a folder before it is renamed or removed: servers drop
 * those that do not, or worse (protocol notes on RENAME of a selected mailbox). */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>

void operation_free(void *data)
{
	struct operation *operation = data;

	g_free(operation->mailbox);
	g_free(operation->target);
	g_free(operation);
}

uint32_t engine_folder_op(struct engine *engine, const struct folder_op *op)
{
	struct operation *operation = g_new0(struct operation, 1);
	uint32_t ticket;

	operation->kind = op->kind;
	operation->folder = op->folder;
	operation->mailbox = g_strdup(op->mailbox);
	operation->target = g_strdup(op->target);
	operation->separator = op->separator;
	pthread_mutex_lock(&engine->lock);
	if (++engine->shared.last_ticket == 0)
		engine->shared.last_ticket = 1;
	ticket = operation->ticket = engine->shared.last_ticket;
	g_array_append_val(engine->shared.operations, operation);
	pthread_mutex_unlock(&engine->lock);
	engine_wake(engine);
	return ticket;
}

static struct operation *find(struct engine *engine, uint32_t ticket)
{
	for (unsigned i = 0; i < engine->operations->len; i++) {
		struct operation *operation = g_ptr_array_index(engine->operations, i);

		if (operation->ticket == ticket)
			return operation;
	}
	return NULL;
}

static void hold(struct engine *engine, const struct operation *operation, bool on)
{
	struct folder_state *state;

	if (operation->kind == FOLDER_CREATE)
		return;
	state = folder_state(engine, operation->folder);
	state->held = on;
	if (!on && needs_find(engine, NEED_FOLDER, operation->folder, 0))
		folder_refresh(engine, operation->folder);
}

static void end(struct engine *engine, struct operation *operation, int error)
{
	struct need need = {.kind = NEED_TICKET, .uid = operation->ticket};

	hold(engine, operation, false);
	report_settled(engine, &need, error);
	g_ptr_array_remove(engine->operations, operation);
}

/* --- asking --- */

static void ask(struct engine *engine, const struct operation *operation)
{
	static const enum store_job_kind kinds[] = {[FOLDER_CREATE] = STORE_CREATE,
						    [FOLDER_DELETE] = STORE_DELETE,
						    [FOLDER_RENAME] = STORE_RENAME};
	struct store_job *job = store_job_new(kinds[operation->kind]);

	job->folder = operation->folder;
	job->name = g_strdup(operation->mailbox);
	job->target = g_strdup(operation->target);
	job->separator = operation->separator;
	job->ticket = operation->ticket;
	lane_queue(engine, LANE_CHANGE, job);
}

static void leave(struct engine *engine, struct operation *operation)
{
	for (int i = 0; i < LANES; i++) {
		struct store_job *job;

		if (engine->lanes[i].state != LANE_READY)
			continue;
		job = store_job_new(STORE_LEAVE);
		job->name = g_strdup(operation->mailbox);
		job->separator = operation->separator;
		job->ticket = operation->ticket;
		operation->leaving++;
		lane_queue(engine, i, job);
	}
}

/* The name that the server knows a folder by is the index's to say. */
static bool find_mailbox(struct engine *engine, struct operation *operation)
{
	struct folder_row row;

	if (operation->kind == FOLDER_CREATE)
		return true;
	if (!index_folder_write_get(engine->index, operation->folder, &row))
		return false;
	g_free(operation->mailbox);
	operation->mailbox = g_strdup(row.name);
	folder_row_clear(&row);
	return true;
}

static void begin(struct engine *engine, struct operation *operation)
{
	g_ptr_array_add(engine->operations, operation);
	lanes_demand(engine);
	if (!find_mailbox(engine, operation)) {
		end(engine, operation, ENOENT);
		return;
	}
	if (lane_is_down(engine, LANE_CHANGE)) {
		end(engine, operation, lanes_down_errno(engine));
		return;
	}
	hold(engine, operation, true);
	engine->list_again |= engine->listing;
	if (operation->kind != FOLDER_CREATE)
		leave(engine, operation);
	if (operation->leaving == 0)
		ask(engine, operation);
}

void operations_take(struct engine *engine, GArray *operations)
{
	for (unsigned i = 0; i < operations->len; i++)
		begin(engine, g_array_index(operations, struct operation *, i));
}

/* --- the answer --- */

static void created(struct engine *engine, const struct operation *operation)
{
	engine->news_own = true;
	index_folder_seen(engine->index, operation->mailbox, operation->separator, 0,
			  engine->now_ns);
	engine->news_own = false;
}

static void deleted(struct engine *engine, const struct operation *operation)
{
	struct folder_row row;

	if (!index_folder_write_get(engine->index, operation->folder, &row))
		return;
	folder_forget(engine, &row);
	news_folder_gone(engine, &row, true);
	index_folder_remove(engine->index, row.id, engine->now_ns);
	report_touched(engine, row.parent);
	folder_row_clear(&row);
}

static void renamed(struct engine *engine, const struct operation *operation)
{
	g_autoptr(GError) error = NULL;
	struct folder_row row, now;

	if (!index_folder_write_get(engine->index, operation->folder, &row))
		return;
	index_folder_rename(engine->index, row.id, operation->target, operation->separator,
			    engine->now_ns);
	if (!state_renamed(engine->state, operation->mailbox, operation->target,
			   operation->separator, &error))
		log_error("%s: %s", engine->account->name, error->message);
	lanes_renamed(engine, operation);
	report_folder_gone(engine, &row);
	news_folder_moved(engine, &row);
	report_touched(engine, row.parent);
	if (index_folder_write_get(engine->index, row.id, &now)) {
		report_touched(engine, now.parent);
		folder_row_clear(&now);
	}
	folder_row_clear(&row);
}

static void succeed(struct engine *engine, const struct operation *operation)
{
	switch (operation->kind) {
	case FOLDER_CREATE:
		created(engine, operation);
		break;
	case FOLDER_DELETE:
		deleted(engine, operation);
		break;
	case FOLDER_RENAME:
		renamed(engine, operation);
		break;
	}
	engine->last_folder = 0;
	g_hash_table_remove_all(engine->marks); /* its name may be another's now */
	watch_renamed(engine);
	report_touched(engine, INDEX_ROOT);
}

/* What there is now is the server's to say: a parent may have come or gone with it. */
static void list_anew(struct engine *engine)
{
	bool listing = engine->listing;

	folder_set_fresh(engine, INDEX_ROOT, 0);
	folders_list(engine);
	engine->list_again = listing || engine->operations->len > 1; /* than this one */
}

void operation_done(struct engine *engine, struct store_job *job, const GError *error)
{
	struct operation *operation = find(engine, job->ticket);

	if (!operation)
		return;
	/* A connection that ended has left it too. */
	if (job->kind == STORE_LEAVE) {
		if (--operation->leaving == 0)
			ask(engine, operation);
		return;
	}
	if (error)
		log_warning("%s: %s", engine->account->name, error->message);
	else
		succeed(engine, operation);
	list_anew(engine);
	end(engine, operation, error ? error_errno(error) : 0);
}
