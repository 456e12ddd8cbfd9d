/* What the files of options share: the table of them, and what was said so far. */
#pragma once

#include "config/options.h"

#define OPTIONS_KEY_MAX 32

/* What the command line has said so far. */
struct parse {
	struct options *options;
	GPtrArray *arguments; /* of const char *: SOURCE and MOUNTPOINT */
	bool tls_off;	      /* waits until the URL is known */
	bool smtp_tls_off;    /* likewise */
	const char *sending;  /* an option that means nothing without smtp; NULL: none */
	enum options_result result;
};

/* One row an option: the parser, --help and the suggestions all come from it. */
struct row {
	char letter;	   /* 0: none */
	const char *name;  /* as -o key, with '_'; NULL: only a letter */
	const char *value; /* name of the value; NULL: takes none */
	const char *help;
	/* With a value: false with an error. */
	bool (*set)(struct parse *parse, const char *value, GError **error);
	size_t word; /* or where in struct options the enum stands whose words `value` lists */
	size_t flag; /* without: where its bool stands, */
	enum options_result result; /* or what to do instead of running */
	bool sending;		    /* means nothing without smtp */
};

/* The table (options_table.c); NULL: no such row. */
const struct row *options_rows(size_t *ret_count);
const struct row *options_row_by_name(const char *key);
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
void options_fuse_add(struct options *options, const char *option);
