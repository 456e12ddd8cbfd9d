/* Needs: each is pending once, however many readers stated it. */
#include "engine/engine_private.h"

#include "base/error.h"

#include <errno.h>

struct need *needs_find(struct engine *engine, enum need_kind kind, uint32_t id, uint32_t uid)
{
	struct need key = {.kind = kind, .id = id, .uid = uid};

	return g_hash_table_lookup(engine->pending, &key);
}

static void remember(struct engine *engine, const struct need *need)
{
	struct need *pending = needs_find(engine, need->kind, need->id, need->uid);

	if (!pending) {
		pending = g_memdup2(need, sizeof(*need));
		g_hash_table_add(engine->pending, pending);
	}
	pending->upto = MAX(pending->upto, need->upto);
}

/* The folder list may lack what the need names: it is not met, and never will be. */
static bool take_folder(struct engine *engine, const struct need *need)
{
	struct folder_row row;
	bool selectable;

	if (!index_folder_write_get(engine->index, need->id, &row)) {
		report_settled(engine, need, ENOENT);
		return false;
	}
	selectable = !(row.attributes & STORE_ATTR_NOSELECT);
	folder_row_clear(&row);
	if (!selectable || engine_folder_is_fresh(engine, need->id)) {
		report_settled(engine, need, 0);
		return false;
	}
	return true;
}

static bool take_messages(struct engine *engine, const struct need *need)
{
	struct folder_row row;
	bool wanted;

	if (!index_folder_write_get(engine->index, need->id, &row)) {
		report_settled(engine, need, ENOENT);
		return false;
	}
	wanted =
		!(row.attributes & STORE_ATTR_NOSELECT) && !arrivals_have(engine, &row, need->upto);
	folder_row_clear(&row);
	if (!wanted)
		report_settled(engine, need, 0);
	return wanted;
}

static bool take_body(struct engine *engine, const struct need *need)
{
	if (!index_message_write_has(engine->index, need->id, need->uid)) {
		report_settled(engine, need, ESTALE);
		return false;
	}
	if (body_is_met(engine, need->id, need->uid, need->upto)) {
		report_settled(engine, need, 0);
		return false;
	}
	return true;
}

static bool take_folders(struct engine *engine, const struct need *need)
{
	if (!engine_folders_are_fresh(engine))
		return true;
	report_settled(engine, need, 0);
	return false;
}

static bool take_changes(struct engine *engine, const struct need *need)
{
	int error;

	if (pending_has(engine, need, &error))
		return true;
	report_settled(engine, need, error);
	return false;
}

static bool take_known(struct engine *engine, const struct need *need, bool known)
{
	if (known)
		report_settled(engine, need, 0);
	return !known;
}

/* False if it is settled already. */
static bool is_wanted(struct engine *engine, const struct need *need)
{
	switch (need->kind) {
	case NEED_FOLDERS:
		return take_folders(engine, need);
	case NEED_FOLDER:
		return take_folder(engine, need);
	case NEED_MESSAGES:
		return take_messages(engine, need);
	case NEED_RIGHTS:
		return take_known(engine, need, rights_are_known(engine, need->id));
	case NEED_SIZE:
		return take_known(engine, need, engine_trusts_sizes(engine) != SIZES_UNPROVEN);
	case NEED_CHANGE:
	case NEED_CHANGES:
	case NEED_SPOOL:
		return take_changes(engine, need);
	default:
		return take_body(engine, need);
	}
}

static enum lane_id lane_of(const struct need *need)
{
	switch (need->kind) {
	case NEED_BODY:
	case NEED_SIZE:
		return LANE_BODY;
	case NEED_CHANGE:
	case NEED_CHANGES:
	case NEED_SPOOL:
		return LANE_CHANGE;
	default:
		return LANE_LIST;
	}
}

static void start_body(struct engine *engine, const struct need *need)
{
	bool was_asked = body_is_under_way(engine, need->id, need->uid);

	body_fetch(engine, need->id, need->uid);
	ahead_missed(engine, need->id, need->uid, was_asked);
}

/* What settles the folder settles this, too. */
static void start_messages(struct engine *engine, const struct need *need)
{
	remember(engine, &(struct need){.kind = NEED_FOLDER, .id = need->id});
	folder_refresh(engine, need->id);
}

static void start(struct engine *engine, const struct need *need)
{
	switch (need->kind) {
	case NEED_FOLDERS:
		folders_list(engine);
		break;
	case NEED_FOLDER:
		folder_refresh(engine, need->id);
		break;
	case NEED_MESSAGES:
		start_messages(engine, need);
		break;
	case NEED_RIGHTS:
		rights_ask(engine, need->id);
		break;
	case NEED_SIZE:
		sizes_ask(engine, need->id, need->uid);
		break;
	case NEED_CHANGE:
	case NEED_CHANGES:
	case NEED_SPOOL:
		change_soon(engine, 0);
		break;
	default:
		start_body(engine, need);
		break;
	}
}

void needs_take(struct engine *engine, const struct need *need)
{
	bool asked;

	if (need->kind == NEED_AHEAD) {
		ahead_fetch(engine, need->id, need->uid, (uint32_t)need->upto);
		return;
	}
	if (need->kind == NEED_PAGES) {
		ahead_pages(engine, need->id, need->uid);
		return;
	}
	if (!is_wanted(engine, need))
		return;
	lanes_demand(engine);
	if (lane_is_down(engine, lane_of(need))) {
		report_settled(engine, need, lanes_down_errno(engine));
		return;
	}
	asked = needs_find(engine, need->kind, need->id, need->uid);
	remember(engine, need);
	/* The others see by themselves what is under way. */
	if (!asked || need->kind != NEED_RIGHTS)
		start(engine, need);
}

static void settle(struct engine *engine, struct need *need, int error)
{
	if (!need)
		return;
	report_settled(engine, need, error);
	g_hash_table_remove(engine->pending, need);
}

void needs_settle(struct engine *engine, enum need_kind kind, uint32_t id, uint32_t uid, int error)
{
	settle(engine, needs_find(engine, kind, id, uid), error);
	if (kind == NEED_FOLDER)
		settle(engine, needs_find(engine, NEED_MESSAGES, id, 0), error);
}

void needs_settle_all(struct engine *engine, int error)
{
	GHashTableIter iter;
	gpointer need;

	g_hash_table_iter_init(&iter, engine->pending);
	while (g_hash_table_iter_next(&iter, &need, NULL)) {
		report_settled(engine, need, error);
		g_hash_table_iter_remove(&iter);
	}
}
