#include "config/account.h"

#include "base/error.h"
#include "config/auth.h"
#include "config/url.h"

#include <limits.h>
#include <string.h>

static const struct url_kind account_url = {
	.what = "SOURCE",
	.example = "imaps://alice@imap.example.org",
	.instead = "password_command, password_file or ~/.netrc",
	.user_required = true,
	.schemes = {{"imaps", TLS_IMPLICIT, 993, ACCOUNT_IMAP},
		    {"imap", TLS_STARTTLS, 143, ACCOUNT_IMAP},
		    {"pop3s", TLS_IMPLICIT, 995, ACCOUNT_POP3},
		    {"pop3", TLS_STARTTLS, 110, ACCOUNT_POP3}},
};

static const struct url_kind imap_url = {
	.what = "imap",
	.example = "imaps://alice@imap.example.org",
	.instead = "password_command or password_file",
	.user_required = true,
	.schemes = {{"imaps", TLS_IMPLICIT, 993, ACCOUNT_IMAP},
		    {"imap", TLS_STARTTLS, 143, ACCOUNT_IMAP}},
};

static const struct url_kind pop3_url = {
	.what = "pop3",
	.example = "pop3s://alice@pop.example.org",
	.instead = "password_command or password_file",
	.user_required = true,
	.schemes = {{"pop3s", TLS_IMPLICIT, 995, ACCOUNT_POP3},
		    {"pop3", TLS_STARTTLS, 110, ACCOUNT_POP3}},
};

static const struct url_kind submission_url = {
	.what = "smtp",
	.example = "smtps://smtp.example.org",
	.instead = "smtp_password_command, smtp_password_file or ~/.netrc",
	.schemes = {{.name = "smtps", .tls = TLS_IMPLICIT, .port = 465},
		    {.name = "smtp", .tls = TLS_STARTTLS, .port = 587}},
};

void submission_clear(struct submission *smtp)
{
	g_free(smtp->host);
	g_free(smtp->user);
	g_free(smtp->tls_fingerprint);
	g_free(smtp->password_command);
	g_free(smtp->password_file);
	g_free(smtp->from);
	*smtp = (struct submission){0};
}

void account_clear(struct account *account)
{
	g_free(account->name);
	g_free(account->user);
	g_free(account->host);
	g_free(account->tls_ca);
	g_free(account->tls_fingerprint);
	g_free(account->tls_cert);
	g_free(account->tls_key);
	g_free(account->alias);
	g_free(account->config);
	g_free(account->token_command);
	g_free(account->password_command);
	g_free(account->password_file);
	g_free(account->idle);
	submission_clear(&account->smtp);
	*account = (struct account){0};
}

static char *account_name_new(const char *user, const char *host, uint16_t port, bool show_port)
{
	bool ipv6 = strchr(host, ':') != NULL;
	g_autofree char *bare =
		g_strdup_printf("%s@%s%s%s", user, ipv6 ? "[" : "", host, ipv6 ? "]" : "");

	if (!show_port)
		return g_steal_pointer(&bare);
	return g_strdup_printf("%s:%u", bare, port);
}

/* '/' and '%' of a name, and a '.' in front, would change what the name means. */
static char *dir_name_new(const char *name)
{
	GString *out = g_string_new(NULL);

	for (const char *next = name; *next; next++) {
		if (*next == '/' || *next == '%' || (*next == '.' && next == name))
			g_string_append_printf(out, "%%%02X", (unsigned char)*next);
		else
			g_string_append_c(out, *next);
	}
	return g_string_free(out, FALSE);
}

/* IMAP and POP3 at one host are two accounts: their names, and so their directories, differ. */
static bool shows_port(const struct url *url)
{
	return url->port != url->scheme->port || url->scheme->protocol == ACCOUNT_POP3;
}

static bool account_parse(struct account *account, const struct url_kind *kind, const char *text,
			  GError **error)
{
	__attribute__((cleanup(url_clear))) struct url url = {0};
	g_autofree char *name = NULL;
	g_autofree char *dir = NULL;

	if (!url_parse(text, kind, &url, error))
		return false;
	name = account_name_new(url.user, url.host, url.port, shows_port(&url));
	dir = dir_name_new(name);
	if (strlen(dir) > NAME_MAX) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "user and host in %s are too long",
			    kind->what);
		return false;
	}
	g_free(account->name);
	g_free(account->user);
	g_free(account->host);
	account->name = g_steal_pointer(&name);
	account->user = g_steal_pointer(&url.user);
	account->host = g_steal_pointer(&url.host);
	account->port = url.port;
	account->protocol = url.scheme->protocol;
	account->tls = url.scheme->tls;
	return true;
}

bool account_parse_url(struct account *account, const char *url, GError **error)
{
	return account_parse(account, &account_url, url, error);
}

bool account_parse_key(struct account *account, enum account_protocol protocol, const char *url,
		       GError **error)
{
	return account_parse(account, protocol == ACCOUNT_POP3 ? &pop3_url : &imap_url, url, error);
}

bool submission_parse_url(struct submission *smtp, const char *text, GError **error)
{
	__attribute__((cleanup(url_clear))) struct url url = {0};

	if (!url_parse(text, &submission_url, &url, error))
		return false;
	g_free(smtp->user);
	g_free(smtp->host);
	smtp->user = g_steal_pointer(&url.user);
	smtp->host = g_steal_pointer(&url.host);
	smtp->port = url.port;
	smtp->tls = url.scheme->tls;
	return true;
}

const char *submission_user(const struct account *account)
{
	return account->smtp.user ? account->smtp.user : account->user;
}

unsigned submission_auth(const struct account *account)
{
	return account->smtp.auth ? account->smtp.auth : account->auth & ~(unsigned)AUTH_APOP;
}

static bool needs_password(unsigned auth)
{
	return !auth || auth & ~(unsigned)AUTH_WITHOUT_PASSWORD;
}

bool account_needs_password(const struct account *account)
{
	return !account->token_command && needs_password(account->auth);
}

bool submission_has_password(const struct account *account)
{
	const struct submission *smtp = &account->smtp;

	return smtp->password_command || smtp->password_file || smtp->password_in_file;
}

bool submission_uses_token(const struct account *account)
{
	return account->smtp.host && account->token_command && !submission_has_password(account);
}

bool submission_needs_password(const struct account *account)
{
	return account->smtp.host && !submission_uses_token(account) &&
	       needs_password(submission_auth(account));
}

char *account_dir_name(const struct account *account)
{
	return dir_name_new(account->name);
}
