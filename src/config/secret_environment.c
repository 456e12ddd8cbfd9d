#include "config/account.h"
#include "config/secret.h"

#include <string.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* What password managers need: who and where the user is, how to talk to him, and where the agents
 * are that hold his keys. */
static const char *const names[] = {
	"HOME",		  "USER",
	"LOGNAME",	  "LANG",
	"LANGUAGE",	  "TZ",
	"TERM",		  "TMPDIR",
	"DISPLAY",	  "WAYLAND_DISPLAY",
	"XAUTHORITY",	  "DBUS_SESSION_BUS_ADDRESS",
	"GNUPGHOME",	  "GPG_TTY",
	"GPG_AGENT_INFO", "SSH_AUTH_SOCK",
	"SSH_AGENT_PID",
};

static const char *const prefixes[] = {"LC_", "XDG_", "PASSWORD_STORE_"};

static bool is_wanted(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		if (g_str_has_prefix(name, prefixes[i]))
			return true;
	}
	return false;
}

static char **set(char **environment, const char *name, const char *value)
{
	return g_environ_setenv(environment, name, value, TRUE);
}

char **secret_environment(const struct account *account, bool submission)
{
	g_auto(GStrv) ours = g_get_environ();
	const char *path = g_environ_getenv(ours, "PATH");
	const char *protocol = account->protocol == ACCOUNT_POP3 ? "pop3" : "imap";
	char **environment = g_new0(char *, 1);

	for (char **entry = ours; *entry; entry++) {
		g_autofree char *name = g_strndup(*entry, strcspn(*entry, "="));

		if (is_wanted(name))
			environment = set(environment, name, strchr(*entry, '=') + 1);
	}
	environment = set(environment, "PATH", path ? path : DEFAULT_PATH);
	environment =
		set(environment, "MAILFS_ACCOUNT", account->alias ? account->alias : account->name);
	environment = set(environment, "MAILFS_USER",
			  submission ? submission_user(account) : account->user);
	environment =
		set(environment, "MAILFS_HOST", submission ? account->smtp.host : account->host);
	return set(environment, "MAILFS_PROTOCOL", submission ? "smtp" : protocol);
}
