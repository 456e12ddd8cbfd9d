#include "protocol/sasl.h"

#include <string.h>

char *sasl_initial(const char *bytes, size_t len)
{
	return len ? sasl_response(bytes, len) : g_strdup("=");
}

char *sasl_response(const char *bytes, size_t len)
{
	return g_base64_encode((const guchar *)bytes, len);
}

char *sasl_plain(const char *user, const char *password)
{
	size_t user_len = strlen(user);
	size_t password_len = strlen(password);
	size_t len = user_len + password_len + 2;
	char *message = g_malloc(len);
	char *base64;

	message[0] = '\0';
	memcpy(message + 1, user, user_len);
	message[user_len + 1] = '\0';
	memcpy(message + user_len + 2, password, password_len);
	base64 = sasl_initial(message, len);
	explicit_bzero(message, len);
	g_free(message);
	return base64;
}

void sasl_free(char **message)
{
	if (*message)
		explicit_bzero(*message, strlen(*message));
	g_free(*message);
	*message = NULL;
}
