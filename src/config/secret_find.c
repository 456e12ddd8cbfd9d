#include "config/secret.h"

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "config/account.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_TIMEOUT_MS 60000
#define NETRC_MAX (1024 * 1024)
#define CREDENTIAL "mailfs.password"

static void wipe_and_free(char *bytes, gsize len)
{
	explicit_bzero(bytes, len);
	g_free(bytes);
}

static struct secret *secret_from_file(const char *path, bool private, const char *what,
				       GError **error)
{
	g_autoptr(GError) why = NULL;
	struct secret *secret;
	char *bytes;
	gsize len;

	if (!file_read(path, LIMIT_SECRET, private, &bytes, &len, &why)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: %s", what, why->message);
		return NULL;
	}
	secret = secret_from_line(bytes, len, what, error);
	wipe_and_free(bytes, len);
	return secret;
}

/* What a systemd unit was given with LoadCredential=; NULL if nothing. */
static char *credential_path(void)
{
	const char *dir = g_getenv("CREDENTIALS_DIRECTORY");
	g_autofree char *path = dir ? g_build_filename(dir, CREDENTIAL, NULL) : NULL;

	return path && g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

static bool netrc_lookup(const char *path, bool private, const struct account *account,
			 struct secret **ret_secret, GError **error)
{
	char *text;
	gsize len;

	if (!file_read(path, NETRC_MAX, private, &text, &len, error))
		return false;
	*ret_secret = secret_from_netrc(text, account->host, account->user);
	wipe_and_free(text, len);
	return true;
}

/* True without a secret: nothing there for us. Others may read a file that holds nothing of ours,
 * so its mode counts only on a second look, which is the one that is used. */
static bool netrc_find(const struct account *account, struct secret **ret_secret, GError **error)
{
	g_autofree char *path = g_build_filename(g_get_home_dir(), ".netrc", NULL);
	g_autoptr(GError) why = NULL;
	struct secret *secret;

	*ret_secret = NULL;
	if (!netrc_lookup(path, false, account, &secret, NULL) || !secret)
		return true;
	secret_free(&secret);
	if (netrc_lookup(path, true, account, ret_secret, &why))
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s", why->message);
	return false;
}

static struct secret *secret_ask(const struct account *account, GError **error)
{
	g_autofree char *prompt = g_strdup_printf("Password for %s: ", account->name);
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct secret *secret;

	if (tty < 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "no password for %s and no terminal to ask on: give password_command "
			    "or password_file, or add it to ~/.netrc",
			    account->name);
		return NULL;
	}
	secret = secret_from_terminal(tty, prompt, error);
	close(tty);
	return secret;
}

struct secret *secret_find(const struct account *account, bool may_ask, GError **error)
{
	g_autofree char *credential = credential_path();
	struct secret *secret;

	if (account->password_command)
		return secret_from_command(account->password_command, COMMAND_TIMEOUT_MS, error);
	if (account->password_file)
		return secret_from_file(account->password_file, true, "password_file", error);
	/* Its owner and mode are systemd's: others do not get into the directory. */
	if (credential)
		return secret_from_file(credential, false, "credential " CREDENTIAL, error);
	if (!netrc_find(account, &secret, error) || secret)
		return secret;
	if (may_ask)
		return secret_ask(account, error);
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
		    "no password for %s: give password_command or password_file, or add it to "
		    "~/.netrc",
		    account->name);
	return NULL;
}
