/* The requests of the process that tells watchers (replay.h). */
#include "fuse/replay.h"
#include "fuse/replay_helper.h"
#include "fuse/request.h"

#include <errno.h>

/* Nothing is waited for, and nothing is known that others do not know. */
static int announced_work(struct request *request, struct tree_call *call)
{
	call->give_up = ENOENT;
	return tree_lookup(request->mount->tree, call, request->node, request->name,
			   &request->entry);
}

static const struct request_kind request_announced = {"announce", announced_work,
						      request_reply_entry};

static int gone_work(struct request *request, struct tree_call *call)
{
	static _Atomic uint32_t number;
	int result = announced_work(request, call);

	if (result != ENOENT)
		return result;
	/* Not its own node: that may still be open somewhere, and must not be told a size. */
	tree_ghost(++number, request->is_dir, &request->entry);
	return 0;
}

static const struct request_kind request_gone = {"ghost", gone_work, request_reply_entry};

/* The name may stand for something else by now. */
static int removed_work(struct request *request, struct tree_call *call)
{
	int result = announced_work(request, call);

	if (result == ENOENT)
		return 0;
	return result ? result : ENOENT;
}

static const struct request_kind request_removed = {"announce", removed_work, request_reply_done};

static int attr_work(struct request *request, struct tree_call *call)
{
	call->give_up = ENOENT;
	return tree_getattr(request->mount->tree, call, request->node, &request->entry);
}

static const struct request_kind request_attr = {"announce", attr_work, request_reply_attr};

static void start(fuse_req_t req, const struct request_kind *kind, fuse_ino_t node,
		  const char *name, bool is_dir)
{
	struct request request = {
		.kind = kind, .node = node, .name = (char *)name, .is_dir = is_dir};

	request_start(&request, req);
}

/* What it makes is not there for it, what it removes is. All else as for others. */
static bool answer_lookup(fuse_req_t req, struct replay *replay, fuse_ino_t node, const char *name)
{
	enum replay_kind kind = REPLAY_ATTRIB;

	if (replay_is_proof(replay, name)) {
		fuse_reply_err(req, REPLAY_PROOF_ERRNO);
		return true;
	}
	if (replay_expects(replay, node, name, &kind) &&
	    (kind == REPLAY_CREATE || kind == REPLAY_MKDIR)) {
		fuse_reply_err(req, ENOENT);
		return true;
	}
	if (kind != REPLAY_DELETE && kind != REPLAY_RMDIR)
		return false;
	start(req, &request_gone, node, name, kind == REPLAY_RMDIR);
	return true;
}

static void answer_change(fuse_req_t req, struct replay *replay, enum replay_call call,
			  fuse_ino_t node, const char *name)
{
	enum replay_kind kind;
	bool makes;

	if (!replay_expects(replay, node, name, &kind)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	makes = kind == REPLAY_CREATE || kind == REPLAY_MKDIR;
	if (makes != (call == REPLAY_MAKE))
		fuse_reply_err(req, EPERM);
	else if (makes)
		start(req, &request_announced, node, name, false);
	else
		start(req, &request_removed, node, name, false);
}

bool replay_answer(fuse_req_t req, enum replay_call call, fuse_ino_t node, const char *name)
{
	const struct mount *mount = fuse_req_userdata(req);

	if (!replay_is_helper(mount->replay, req))
		return false;
	switch (call) {
	case REPLAY_LOOKUP:
		return answer_lookup(req, mount->replay, node, name);
	case REPLAY_SETATTR:
		start(req, &request_attr, node, NULL, false);
		return true;
	case REPLAY_MAKE:
	case REPLAY_REMOVE:
		answer_change(req, mount->replay, call, node, name);
		return true;
	}
	return false;
}
