#include "fuse/request.h"

#include <errno.h>

/* Asked with size 0, the answer is how large the value is. */
static void value_reply(struct request *request)
{
	if (request->size == 0)
		fuse_reply_xattr(request->req, request->len);
	else if (request->len > request->size)
		fuse_reply_err(request->req, ERANGE);
	else
		fuse_reply_buf(request->req, request->buffer, request->len);
}

static int getxattr_work(struct request *request, struct tree_call *call)
{
	return tree_getxattr(request->mount->tree, call, request->node, request->name,
			     &request->buffer, &request->len);
}

const struct request_kind request_getxattr = {"getxattr", getxattr_work, value_reply};

static int listxattr_work(struct request *request, struct tree_call *call)
{
	return tree_listxattr(request->mount->tree, call, request->node, &request->buffer,
			      &request->len);
}

const struct request_kind request_listxattr = {"listxattr", listxattr_work, value_reply};

static int setxattr_work(struct request *request, struct tree_call *call)
{
	return tree_setxattr(request->mount->tree, call, request->node, request->name,
			     request->data, request->size, (int)request->flags);
}

static void setxattr_reply(struct request *request)
{
	request_reply_done(request);
	message_forget(request->mount, request->node);
}

const struct request_kind request_setxattr = {"setxattr", setxattr_work, setxattr_reply};

/* None of ours can be missing; of the others none is there. */
static int removexattr_work(struct request *request, struct tree_call *call)
{
	int result = getxattr_work(request, call);

	return result == 0 ? EOPNOTSUPP : result;
}

const struct request_kind request_removexattr = {"removexattr", removexattr_work,
						 request_reply_done};
