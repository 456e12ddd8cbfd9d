#include "fuse/request.h"

#include "base/log.h"

#include <errno.h>

static bool request_run_parked(struct parked *parked, int give_up, struct need *ret_need,
			       bool *ret_soft);
static void request_abort_parked(struct parked *parked, int error);

static const struct parked_ops parked_ops = {
	.run = request_run_parked,
	.abort = request_abort_parked,
};

/* Called by libfuse with a lock of its own held: an answer here would deadlock. */
static void request_interrupted(fuse_req_t req, void *data)
{
	struct request *request = data;

	park_interrupt(request->mount->park, &request->parked);
}

/* Reading the log must not make it grow. */
static void request_trace(const struct request *request, int error)
{
	if (tree_node_kind(request->node) != NODE_CONTROL)
		log_debug("%s %" G_GINT64_MODIFIER "x %s: %s", request->kind->name, request->node,
			  request->name ? request->name : "", error ? g_strerror(error) : "ok");
}

static void request_answer(struct request *request, int error)
{
	request_trace(request, error);
	if (error)
		fuse_reply_err(request->req, error);
	else
		request->kind->reply(request);
	g_free(request->buffer);
	if (request->added)
		g_array_unref(request->added);
	if (request->names)
		g_ptr_array_unref(request->names);
}

static void request_hold(const struct request *request,
			 void (*what)(struct notify *notify, uint64_t directory))
{
	if (!request->kind->locks)
		return;
	what(request->mount->notify, request->node);
	if (request->new_name)
		what(request->mount->notify, request->new_parent);
}

static void request_answer_parked(struct request *request, int error)
{
	/* Waits for an interrupt that is being delivered; there is none after. */
	fuse_req_interrupt_func(request->req, NULL, NULL);
	request_answer(request, error);
	request_hold(request, notify_release);
	g_free(request->name);
	g_free(request->new_name);
	g_free(request->data);
	g_free(request);
}

/* NULL: it makes nothing known. */
static struct known *request_enter(const struct request *request)
{
	if (!request->kind->adds)
		return NULL;
	known_enter(request->mount->known);
	return request->mount->known;
}

static void request_leave(struct known *known)
{
	if (known)
		known_leave(known);
}

static bool request_run_parked(struct parked *parked, int give_up, struct need *ret_need,
			       bool *ret_soft)
{
	struct request *request = (struct request *)parked;
	struct tree_call call = {.give_up = give_up, .ticket = request->ticket};
	struct known *known = request_enter(request);
	int result = request->kind->work(request, &call);

	request->ticket = call.ticket;
	if (result == TREE_AGAIN) {
		*ret_need = call.need;
		*ret_soft = call.need_soft;
	} else {
		request_answer_parked(request, result);
	}
	request_leave(known);
	return result != TREE_AGAIN;
}

static void request_abort_parked(struct parked *parked, int error)
{
	struct request *request = (struct request *)parked;
	bool ends = error == ECONNABORTED && request->kind->ends;

	request_answer_parked(request, ends ? 0 : error);
}

static void request_park(const struct request *request, const struct tree_call *call)
{
	struct request *copy = g_memdup2(request, sizeof(*request));

	copy->name = g_strdup(request->name);
	copy->new_name = g_strdup(request->new_name);
	if (request->data)
		copy->data = g_memdup2(request->data, request->size);
	copy->ticket = call->ticket;
	copy->parked.ops = &parked_ops;
	log_debug("%s %" G_GINT64_MODIFIER "x waits for %d %x/%u", copy->kind->name, copy->node,
		  call->need.kind, call->need.id, call->need.uid);
	/* Before others can answer it. */
	request_hold(copy, notify_hold);
	fuse_req_interrupt_func(copy->req, request_interrupted, copy);
	park_add(copy->mount->park, &copy->parked, &call->need, call->need_soft);
}

void request_reply_done(struct request *request)
{
	fuse_reply_err(request->req, 0);
}

void request_start(struct request *request, fuse_req_t req)
{
	struct tree_call call = {0};
	struct known *known;
	int result;

	request->req = req;
	request->mount = fuse_req_userdata(req);
	known = request_enter(request);
	if (replay_is_helper(request->mount->replay, req))
		call.give_up = ETIMEDOUT;
	result = request->kind->work(request, &call);
	if (result == TREE_AGAIN)
		request_park(request, &call);
	else
		request_answer(request, result);
	request_leave(known);
}
