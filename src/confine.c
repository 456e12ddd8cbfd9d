#include "confine.h"

#include "base/sandbox.h"
#include "config/auth.h"

#include <stdlib.h>
#include <string.h>

/* A name that only multicast DNS knows, whose daemon has a stream socket. */
#define LOCAL_NAMES ".local"

static bool uses_kerberos(const struct account *account)
{
	return (account->auth | account->smtp.auth) & AUTH_GSSAPI;
}

static bool is_local_name(const char *host)
{
	return host && g_str_has_suffix(host, LOCAL_NAMES);
}

/* Files are replaced, and read at each connection: a rule for the old one would not do. But not all
 * that somebody has only because a certificate lies among it. */
static void add_beside(GPtrArray *paths, const char *file)
{
	const char *home = g_get_home_dir();
	char *dir;

	if (!file)
		return;
	dir = g_path_get_dirname(file);
	g_ptr_array_add(paths, g_strdup(file));
	if (g_str_has_prefix(home, dir) || strcmp(dir, g_get_tmp_dir()) == 0)
		g_free(dir);
	else
		g_ptr_array_add(paths, dir);
}

/* A link is followed again at each connection, to where the file is replaced. */
static void add_file(GPtrArray *paths, const char *file)
{
	char *real = file ? realpath(file, NULL) : NULL;

	add_beside(paths, file);
	if (g_strcmp0(real, file) != 0)
		add_beside(paths, real);
	free(real);
}

static GPtrArray *paths_to_read(const struct account *account)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

	add_file(paths, account->tls_ca);
	add_file(paths, account->tls_cert);
	add_file(paths, account->tls_key);
	/* Tickets: those of today are another file tomorrow. */
	if (uses_kerberos(account)) {
		g_ptr_array_add(paths, g_strdup(g_get_tmp_dir()));
		g_ptr_array_add(paths, g_strdup(g_get_user_runtime_dir()));
	}
	return paths;
}

char *confine(const struct options *options, char *const *dirs, pid_t helper)
{
	const struct account *account = &options->account;
	const uint16_t ports[] = {account->port, account->smtp.port};
	g_autoptr(GPtrArray) read = paths_to_read(account);
	const struct sandbox_rules rules = {
		.read = (const char *const *)read->pdata,
		.reads = read->len,
		.write = (const char *const *)dirs,
		.writes = g_strv_length((char **)dirs),
		.ports = ports,
		.port_count = account->smtp.host ? 2 : 1,
		.helper = helper,
		.local_streams = uses_kerberos(account) || is_local_name(account->host) ||
				 is_local_name(account->smtp.host),
	};

	if (options->sandbox == SANDBOX_OFF)
		return g_strdup("off");
	return sandbox_enter(&rules);
}
