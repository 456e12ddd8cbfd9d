/* What is known of an account: where it is and how to treat it. Built by the command line and the
 * configuration file, then never changed: any thread may read it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum account_protocol { ACCOUNT_IMAP, ACCOUNT_POP3 };

enum tls_mode {
	TLS_IMPLICIT, /* from the first byte */
	TLS_STARTTLS, /* required before login */
	TLS_OFF,      /* cleartext; only if the user said so */
};

enum names_mode { NAMES_LABEL, NAMES_UID };

/* What removing a message means. */
enum delete_mode {
	DELETE_FLAG,	/* \Deleted */
	DELETE_TRASH,	/* moved to the \Trash folder; there: DELETE_EXPUNGE */
	DELETE_EXPUNGE, /* gone for good, if the server can do that to a single message */
};

/* COMPRESS of IMAP (RFC 4978), where the server offers it. */
enum compress_mode {
	COMPRESS_AUTO, /* but not on this machine */
	COMPRESS_ON,
	COMPRESS_OFF,
};

/* Whether watchers of folders are told what comes and goes. */
enum inotify_mode { INOTIFY_ON, INOTIFY_OFF };

/* Who files a copy of what was sent. */
enum save_sent {
	SAVE_SENT_AUTO, /* we, unless the provider is known to do it */
	SAVE_SENT_YES,
	SAVE_SENT_NO,
};

/* Of what the sender wants reports (RFC 3461); none of them: as the server likes. */
enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1 << 0, /* alone */
	SMTP_NOTIFY_SUCCESS = 1 << 1,
	SMTP_NOTIFY_FAILURE = 1 << 2,
	SMTP_NOTIFY_DELAY = 1 << 3,
};

/* Where new mail is handed in (RFC 6409). */
struct submission {
	char *host; /* NULL: nowhere, and there is no outbox */
	uint16_t port;
	enum tls_mode tls;
	char *user;	       /* that the URL named; NULL: the account's, if a login is wanted */
	unsigned auth;	       /* as the account's, whose it is if not said otherwise */
	char *tls_fingerprint; /* as the account's; tls_ca is shared */
	char *password_command;
	char *password_file;
	bool password_in_file; /* as the account's: smtp_password= */
	char *from;	       /* an address: who sends what does not say so; may be NULL */
	enum save_sent save_sent;
	uint32_t send_delay_s; /* between the last close and the sending */
	unsigned dsn_notify;   /* enum smtp_notify */
};

struct account {
	/* "alice@host" or, always for POP3, "alice@host:port": log, cache directory, df */
	char *name;
	enum account_protocol protocol;
	char *user;
	char *host; /* DNS name or IP address, without brackets */
	uint16_t port;
	enum tls_mode tls;
	unsigned auth;	       /* enum auth_mechanism: log in in no other way; 0: AUTH_DEFAULT */
	char *tls_ca;	       /* PEM file instead of the system's; may be NULL */
	char *tls_fingerprint; /* "SHA256:" and 64 hex digits, lower case; may be NULL */
	char *tls_cert;	       /* PEM file, our certificate for both servers; may be NULL */
	char *tls_key;	       /* the same, its key; NULL: in tls_cert */
	enum compress_mode compress;
	char *alias;	     /* what the configuration file calls it; NULL: given by its URL */
	char *config;	     /* that file; with an alias */
	char *token_command; /* prints an OAuth 2.0 token for both servers; then the account has no
			      * password; NULL: none */
	char *password_command;
	char *password_file;
	bool password_in_file; /* password= in `config` (conf_password()), if nothing else is said
				*/
	enum names_mode names;
	uint32_t poll_s; /* how old a listing may be */
	char *idle; /* folders that are watched before others: paths with ':' between; NULL: INBOX;
		     * "": nothing is watched */
	uint32_t timeout_s; /* how long the server may be silent */
	uint64_t cache_size_bytes;
	bool delay_connect; /* mount before the first login */
	bool offline;	    /* never connect to anything */
	bool read_only;
	enum delete_mode delete_mode;
	bool append_seen; /* new messages get \Seen */
	bool xattr;
	enum inotify_mode inotify;
	struct submission smtp;
};

void account_clear(struct account *account);
/* Nothing can be sent any more. */
void submission_clear(struct submission *smtp);

/* Parses "imaps://user@host:port" (993), "imap://" (143, STARTTLS), "pop3s://" (995) or "pop3://"
 * (110, STLS) into the account. ERROR_USAGE says which part is wrong; a
 * password in the URL is refused without repeating it. User and host may be percent-encoded;
 * controls in them are refused. IPv6 in brackets. A path is refused. */
bool account_parse_url(struct account *account, const char *url, GError **error);

/* The same for the keys imap= and pop3= of the configuration file, each with its own schemes. */
bool account_parse_key(struct account *account, enum account_protocol protocol, const char *url,
		       GError **error);

/* Parses "smtps://[user@]host[:port]" (465) or "smtp://..." (587, STARTTLS), likewise. */
bool submission_parse_url(struct submission *smtp, const char *url, GError **error);
/* The login at the submission server: the user that its URL named, else the account's. */
const char *submission_user(const struct account *account);
/* The ways to log in there: its own, or the account's but for APOP. */
unsigned submission_auth(const struct account *account);
/* Some of the ways to log in need a password. */
bool account_needs_password(const struct account *account);
/* The same of the submission server: its own, or the account's. */
bool submission_needs_password(const struct account *account);
/* It is said where its own password comes from. */
bool submission_has_password(const struct account *account);
/* It is shown the token; not if it has a password of its own. */
bool submission_uses_token(const struct account *account);

/* A directory name for the account: no '/', no leading '.', reversible. Free with g_free(). */
char *account_dir_name(const struct account *account);
