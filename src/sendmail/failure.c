#include "sendmail/failure.h"

#include "base/text.h"

#include <errno.h>
#include <limits.h>

GQuark failure_quark(void)
{
	return g_quark_from_static_string("mailfs-sendmail");
}

bool failure_set(GError **error, int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(FAILURE, status, format, args));
	va_end(args);
	return false;
}

bool failure_errno(GError **error, int status, const char *verb, const char *path)
{
	int number = errno;
	g_autofree char *shown = text_clean(path, -1, PATH_MAX);

	return failure_set(error, status, "cannot %s '%s': %s", verb, shown, g_strerror(number));
}
