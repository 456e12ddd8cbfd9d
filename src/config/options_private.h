/* What the files of options share: the table of them, and what was said so far. */
#pragma once

#include "config/conf.h"
#include "config/options.h"

#define OPTIONS_KEY_SHOWN 32 /* bytes of one that there is not */

/* Where it was said. The later ones weigh more. */
enum origin { ORIGIN_NONE, ORIGIN_DEFAULTS, ORIGIN_ACCOUNT, ORIGIN_COMMAND };

/* The last that was said of an option. */
struct said {
	enum origin origin;
	char *value; /* as it was written; of a secret only that there is one */
};

/* What the command line and the configuration file have said so far. */
struct parse {
	struct options *options;
	const char *dir;	    /* what paths are relative to; NULL: the current directory */
	GPtrArray *arguments;	    /* of const char *: SOURCE and MOUNTPOINT */
	enum origin origin;	    /* of what is being read */
	struct said *said;	    /* one a row of the table */
	const struct row *conflict; /* that an error is about; NULL: about none */
	GHashTable *ignored;	    /* rows: what [defaults] says of them is not for this account */
	bool tls_off;		    /* waits until the URL is known */
	bool smtp_tls_off;	    /* likewise */
	const char *sending;	    /* an option that means nothing without smtp; NULL: none */
	enum options_result result;
};

/* Where an option may be said. */
enum place {
	PLACE_ANY,     /* on the command line and in the configuration file */
	PLACE_COMMAND, /* on the command line alone */
	PLACE_ACCOUNT, /* in an [account] of the file alone */
};

/* Of which password it says where it comes from: who says one of them on the command line means
 * none of those of the file, and so on. */
enum secret_of { SECRET_NONE, SECRET_ACCOUNT, SECRET_SUBMISSION };

/* One row an option: the parsers, --help and the suggestions all come from it. */
struct row {
	char letter;	   /* 0: none */
	const char *name;  /* as -o key, with '_'; NULL: only a letter */
	const char *value; /* name of the value; NULL: takes none, or yes or no */
	const char *help;
	/* With a value: false with an error. */
	bool (*set)(struct parse *parse, const char *value, GError **error);
	size_t text;		    /* or where in struct options it goes as it is, */
	size_t path;		    /* or as an absolute path, */
	size_t word;		    /* or where the enum stands whose words `value` lists */
	size_t flag;		    /* without: where its bool stands, */
	enum options_result result; /* or what to do instead of mounting */
	bool sending;		    /* means nothing without smtp */
	enum secret_of secret;
	enum place place;
};

/* The table (options_table.c); NULL: no such row. */
const struct row *options_rows(size_t *ret_count);
const struct row *options_row_by_name(const char *key);
size_t options_row_index(const struct row *row);
const struct row *options_row_by_letter(char letter);
/* Words of mount(8) that libfuse shall see; ends with NULL. */
extern const char *const options_fuse_words[];
/* Words of mount(8) and fstab(5) that mean nothing here, or nothing new. */
bool options_is_mount_word(const char *word);

/* One option (options_apply.c); `value` may be NULL. */
bool options_row_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error);
/* "-o" and what its value lists. */
bool options_set_list(struct parse *parse, const char *value, GError **error);
/* "--key" and "-o key" that there is not, with the name that may have been meant. */
bool options_unknown(const char *key, bool is_long, GError **error);
bool options_bad_value(GError **error, const char *name, const char *value, const char *wanted);
/* The key of "key=value" with '_' for '-'; `*ret_value` points behind the '=' or is NULL. */
char *options_key_split(const char *text, const char **ret_value);
void options_fuse_set(struct options *options, const char *option, bool on);
/* "yes", "no", "on", "off", "true", "false", "1", "0" */
bool options_parse_bool(const char *value, bool *ret);
/* smtp and what means nothing without it: as if nobody had said it. */
void options_forget_sending(struct parse *parse);
/* False with ERROR_USAGE; `name` is the option that it is about: if [defaults] alone said it, it is
 * left out. */
bool options_conflict(struct parse *parse, const char *name, const char *message, GError **error);

/* The words of a command line (options_arguments.c). */
bool options_arguments_read(struct parse *parse, int argc, char **argv, GError **error);
/* What contradicts itself, when all was said (options_check.c). */
bool options_check(struct parse *parse, GError **error);

/* The configuration file (options_file.c). False with ERROR_CONFIG if it holds a key that there is
 * not, or twice. */
bool options_file_check(const struct conf *conf, GError **error);
/* [defaults], then [account NAME], which must be there. */
bool options_file_apply(struct parse *parse, const struct conf *conf, const char *account,
			GError **error);
/* What was said, as a file would say it. Free with g_free(). */
char *options_file_print(const struct parse *parse, const char *account);
