#include "base/error.h"

#include <errno.h>

/* EX_SOFTWARE of sysexits: an error that none of our tables knows. */
#define EXIT_FOREIGN 70

struct verdict {
	int exit_code;
	int number;
};

static const struct verdict verdicts[] = {
	[ERROR_USAGE] = {64, EINVAL},
	[ERROR_CONFIG] = {78, EINVAL},
	[ERROR_NO_HOST] = {68, EHOSTUNREACH},
	[ERROR_UNREACHABLE] = {69, EHOSTUNREACH},
	[ERROR_TIMEOUT] = {75, ETIMEDOUT},
	[ERROR_TEMPORARY] = {75, EAGAIN},
	[ERROR_TLS] = {76, EACCES},
	[ERROR_PROTOCOL] = {76, EIO},
	[ERROR_AUTH] = {77, EACCES},
	[ERROR_NO_LOGIN] = {77, EACCES},
	[ERROR_DENIED] = {77, EACCES},
	[ERROR_MOUNT] = {73, EIO},
	[ERROR_IO] = {74, EIO},
	[ERROR_GONE] = {74, ENOENT},
	[ERROR_STALE] = {74, ESTALE},
	[ERROR_LIMIT] = {76, EFBIG},
	[ERROR_BUSY] = {75, EBUSY},
	[ERROR_QUOTA] = {74, EDQUOT},
	[ERROR_READ_ONLY] = {74, EROFS},
	[ERROR_EXISTS] = {74, EEXIST},
	[ERROR_NOT_EMPTY] = {74, ENOTEMPTY},
	[ERROR_REFUSED] = {74, EINVAL},
	[ERROR_SERVER] = {69, EIO},
	[ERROR_NO_SPACE] = {74, ENOSPC},
};

GQuark mailfs_error_quark(void)
{
	return g_quark_from_static_string("mailfs-error");
}

static struct verdict error_verdict(const GError *error)
{
	if (!error)
		return (struct verdict){0, 0};
	if (error->domain != MAILFS_ERROR || error->code < 0 ||
	    error->code >= (int)G_N_ELEMENTS(verdicts))
		return (struct verdict){EXIT_FOREIGN, EIO};
	return verdicts[error->code];
}

int error_exit_code(const GError *error)
{
	return error_verdict(error).exit_code;
}

int error_errno(const GError *error)
{
	return error_verdict(error).number;
}
