#include "tree/alter.h"

#include "base/error.h"
#include "base/log.h"
#include "tree/draft.h"
#include "tree/node.h"

#include <errno.h>

static int add(const struct visit *visit, const struct change_request *request)
{
	g_autoptr(GError) error = NULL;

	if (changes_add(visit->tree->config.state, request, &error)) {
		engine_changed(visit->tree->config.engine);
		return 0;
	}
	/* Else another call was faster. */
	if (g_error_matches(error, MAILFS_ERROR, ERROR_IO))
		log_error("cannot keep a change: %s", error->message);
	return error_errno(error);
}

int alter_add(const struct visit *visit, const struct change_request *request)
{
	int result;

	/* EBUSY: a file that is still open is to be a copy of it, and needs it. */
	while ((result = add(visit, request)) == EBUSY) {
		result = draft_fill_clone_of(visit, request->box.epoch, request->uid);
		if (result != 0)
			break;
	}
	return result;
}

int alter_deleted(const struct visit *visit, const struct spot *spot, bool deleted)
{
	struct change_request request = {.kind = CHANGE_FLAGS,
					 .box = spot_box(&spot->dir),
					 .uid = node_low(spot->node),
					 .set = deleted ? STORE_FLAG_DELETED : 0,
					 .clear = deleted ? 0 : STORE_FLAG_DELETED,
					 .not_behind = spot_is_maildrop(visit)};

	return alter_add(visit, &request);
}

int alter_move(const struct visit *visit, const struct spot *spot, const struct folder_row *target,
	       const char *name)
{
	struct change_request request = {.kind = CHANGE_MOVE,
					 .box = spot_box(&spot->dir),
					 .uid = node_low(spot->node),
					 .target = target->id,
					 .target_mailbox = target->name,
					 .name = name};

	return alter_add(visit, &request);
}
