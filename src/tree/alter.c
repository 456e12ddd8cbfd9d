#include "tree/alter.h"

#include "base/error.h"
#include "base/log.h"
#include "tree/node.h"

int alter_add(const struct visit *visit, const struct change_request *request)
{
	g_autoptr(GError) error = NULL;

	if (!changes_add(visit->tree->config.state, request, &error)) {
		/* Else another call was faster. */
		if (g_error_matches(error, MAILFS_ERROR, ERROR_IO))
			log_error("cannot keep a change: %s", error->message);
		return error_errno(error);
	}
	engine_changed(visit->tree->config.engine);
	return 0;
}

int alter_deleted(const struct visit *visit, const struct spot *spot, bool deleted)
{
	struct change_request request = {.kind = CHANGE_FLAGS,
					 .box = spot_box(&spot->dir),
					 .uid = node_low(spot->node),
					 .set = deleted ? STORE_FLAG_DELETED : 0,
					 .clear = deleted ? 0 : STORE_FLAG_DELETED};

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
