#include "config/options_private.h"

#include "base/error.h"
#include "config/auth.h"

#include <string.h>

bool options_conflict(struct parse *parse, const char *name, const char *message, GError **error)
{
	parse->conflict = options_row_by_name(name);
	g_set_error_literal(error, MAILFS_ERROR, ERROR_USAGE, message);
	return false;
}

/* tls_ca and tls_cert are for both servers. */
static bool smtp_has_tls(const struct parse *parse)
{
	return parse->options->account.smtp.host && !parse->smtp_tls_off;
}

static bool is_pop3(const struct account *account)
{
	return account->protocol == ACCOUNT_POP3;
}

/* What a maildrop has not. */
static bool protocol_check(struct parse *parse, GError **error)
{
	const struct account *account = &parse->options->account;

	if (!is_pop3(account))
		return !(account->auth & AUTH_APOP) ||
		       options_conflict(parse, "auth", "auth=apop is for POP3 alone", error);
	if (account->delete_mode != DELETE_FLAG)
		return options_conflict(
			parse, "delete",
			"POP3 has no Trash and no marks: only delete=flag goes with it", error);
	if (account->append_seen)
		return options_conflict(parse, "append_seen",
					"append_seen means nothing with POP3: it takes no messages",
					error);
	if (account->idle && *account->idle)
		return options_conflict(parse, "idle",
					"idle: POP3 has nothing that could be watched", error);
	if (account->compress == COMPRESS_ON)
		return options_conflict(parse, "compress", "compress=on: POP3 knows no compression",
					error);
	if (account->smtp.save_sent == SAVE_SENT_YES)
		return options_conflict(parse, "save_sent",
					"save_sent=yes: POP3 has no folder for what was sent",
					error);
	return true;
}

static bool tls_check(struct parse *parse, GError **error)
{
	struct account *account = &parse->options->account;

	if (account->tls_key && !account->tls_cert)
		return options_conflict(parse, "tls_key",
					"tls_key means nothing without tls_cert=FILE", error);
	if (!parse->tls_off)
		return true;
	if (account->tls == TLS_IMPLICIT)
		return options_conflict(parse, "tls",
					is_pop3(account)
						? "tls=off contradicts pop3s://, use pop3://"
						: "tls=off contradicts imaps://, use imap://",
					error);
	if (account->tls_fingerprint || (account->tls_ca && !smtp_has_tls(parse)))
		return options_conflict(
			parse, account->tls_fingerprint ? "tls_fingerprint" : "tls_ca",
			"tls=off leaves no certificate for tls_ca or tls_fingerprint", error);
	if (account->tls_cert && !smtp_has_tls(parse))
		return options_conflict(parse, "tls_cert",
					"tls=off leaves nobody to show tls_cert to", error);
	account->tls = TLS_OFF;
	return true;
}

/* Of an account that can send, one mount may only read; but who asks for both at once means
 * neither. */
static bool read_only_check(struct parse *parse, GError **error)
{
	if (parse->said[options_row_index(options_row_by_name("smtp"))].origin == ORIGIN_COMMAND)
		return options_conflict(
			parse, "smtp",
			"ro contradicts smtp: nothing is sent from a read-only mount", error);
	submission_clear(&parse->options->account.smtp);
	options_forget_sending(parse);
	return true;
}

static bool smtp_check(struct parse *parse, GError **error)
{
	struct account *account = &parse->options->account;
	struct submission *smtp = &account->smtp;

	if (!smtp->host && parse->sending) {
		g_autofree char *message =
			g_strdup_printf("%s means nothing without smtp=URL", parse->sending);

		return options_conflict(parse, parse->sending, message, error);
	}
	if (smtp->host && account->read_only)
		return read_only_check(parse, error);
	if (!parse->smtp_tls_off)
		return true;
	if (smtp->tls == TLS_IMPLICIT)
		return options_conflict(parse, "smtp_tls",
					"smtp_tls=off contradicts smtps://, use smtp://", error);
	if (smtp->tls_fingerprint)
		return options_conflict(
			parse, "smtp_tls_fingerprint",
			"smtp_tls=off leaves no certificate for smtp_tls_fingerprint", error);
	smtp->tls = TLS_OFF;
	return true;
}

/* Where logins come from. */
static bool login_check(struct parse *parse, GError **error)
{
	const struct account *account = &parse->options->account;
	unsigned auth = account->auth;

	if (!account->token_command)
		return !auth || auth & ~(unsigned)AUTH_BY_TOKEN ||
		       options_conflict(parse, "auth",
					"auth: oauthbearer and xoauth2 need oauth2_token_command",
					error);
	return !auth || auth & AUTH_BY_TOKEN ||
	       options_conflict(parse, "oauth2_token_command",
				"oauth2_token_command means nothing where auth has neither "
				"oauthbearer nor xoauth2",
				error);
}

bool options_check(struct parse *parse, GError **error)
{
	return tls_check(parse, error) && protocol_check(parse, error) &&
	       login_check(parse, error) && smtp_check(parse, error);
}
